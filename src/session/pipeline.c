/* Statements that are sent without waiting: which of them are unanswered, and what becomes of one that fails.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: how a statement is found and started, or how the adapter sends it.
 *
 *     put --> [oldest ... newest] --answered by any later operation--> gone
 *                    \--one failed: it sticks to the level that sent it and those inside; the rest was dropped with it */
#include "session.h"

DBM__FN dbm_status dbm__sent_room(dbm__work *w, const char *site) {
    if (DBM__LIKELY(w->sent != NULL)) return DBM_OK;
    w->sent = (dbm__sent *)dbm__alloc(w->db->host, DBM_PIPELINE_MAX * sizeof *w->sent);
    if (w->sent != NULL) return DBM_OK;
    dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
    return dbm__work_fail(w, site);
}

DBM__FN dbm_status dbm__sent_put(dbm__work *w, dbm__entry *entry, const char *site) {
    dbm__sent *s = &w->sent[(w->sent_first + w->sent_count) % DBM_PIPELINE_MAX];
    if (DBM__UNLIKELY(w->sent_count == DBM_PIPELINE_MAX)) { /* more than an adapter may leave unanswered */
        dbm__cache_give(&w->slot.connection, entry);
        return dbm__work_wait(w);
    }
    s->entry = entry;
    s->site = site;
    s->level = w->top;
    s->points = w->points_sent;
    w->sent_count++;
    entry->sent++;
    entry->uses--; /* it may serve again meanwhile, though it be `single` */
    return DBM_OK;
}

/* The oldest `count` are done with. Unpreparing one may answer others. */
static void dbm__sent_pop(dbm__work *w, int count) {
    while (count-- > 0 && w->sent_count > 0) {
        dbm__entry *entry = w->sent[w->sent_first].entry;
        w->sent_first = (w->sent_first + 1) % DBM_PIPELINE_MAX;
        w->sent_count--;
        dbm__cache_answered(&w->slot.connection, entry);
    }
}

DBM__FN void dbm__sent_drop(dbm__work *w) {
    dbm__sent_pop(w, w->sent_count);
    w->commands = 0;
}

/* The last failure is that of the oldest one. What was unanswered behind it on a connection that broke may be done or not. */
static dbm_status dbm__sent_failed(dbm__work *w, const dbm_op *op, dbm_status st) {
    dbm_error_info *e = &dbm__self()->last;
    const dbm__sent s = w->sent[w->sent_first];
    bool writes = op->prepared != NULL ? op->prepared->writes : op->write;
    dbm__level *level;
    int i;
    for (i = 0; i < w->sent_count && !writes; i++) writes = w->sent[(w->sent_first + i) % DBM_PIPELINE_MAX].entry->prepared.writes;
    if (writes) dbm__work_doubt(w, st);
    e->stage = DBM_STAGE_STATEMENT;
    dbm__copy_cut(e->site, sizeof e->site, s.site);
    if (e->database[0] == 0) dbm__copy_cut(e->database, sizeof e->database, w->db->name);
    dbm__statement_shown(w, s.entry->text);
    if (w->points_sent > s.points) w->points_sent = s.points; /* those behind it were never made */
    for (level = s.level; level != NULL; level = level != w->top ? level->inner : NULL) dbm__level_stick(w, level, e, s.points);
    dbm__store(&w->trouble, 1);
    st = e->status;
    dbm__sent_pop(w, w->sent_count);
    return st;
}

DBM__FN dbm_status dbm__connection_answered(dbm_connection *c, dbm_op *op, dbm_status st) {
    dbm__work *w = (dbm__work *)(void *)((char *)c - offsetof(dbm__slot, connection));
    if (op->sent_affected >= 0) w->affected = op->sent_affected;
    if (op->sent_last_id != -1) w->last_id = op->sent_last_id;
    dbm__sent_pop(w, op->answered);
    if (st == DBM_OK || st == DBM_DONE || w->sent_count == 0) return st;
    if (!op->of_pipeline && !c->broken) return st;
    if (op->kind == DBM_OP_COMMIT && c->broken) { /* which may be done, and all before it */
        dbm__sent_pop(w, w->sent_count);
        return st;
    }
    return dbm__sent_failed(w, op, st);
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_wait(dbm__work *w) {
    dbm_connection *c = &w->slot.connection;
    dbm_status st;
    dbm_op op;
    dbm__op_init(&op, DBM_OP_SYNC, dbm__work_deadline(w));
    if (c->broken) {
        st = dbm__fail(DBM_E_LOST, DBM_STAGE_STATEMENT, w->db->name, NULL, "the connection was lost before the answer came");
        dbm__self()->last.retryable = true;
        op.sent_affected = op.sent_last_id = -1;
        st = dbm__connection_answered(c, &op, st);
    } else {
        st = dbm__op_run(c, &op);
    }
    dbm__sent_drop(w);
    if (st == DBM_OK || w->top->sticky != DBM_OK) return st;
    if (op.write) dbm__work_doubt(w, st); /* commands */
    return dbm__work_fail(w, op.site);
}
