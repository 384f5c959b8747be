/* The unit of work: BEGIN with the first statement, verified COMMIT, ROLLBACK that leaves nothing, sticky failures, savepoints.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: how a session came to be, or where its statements come from. */
#include "session.h"

/* ---- failures that stick ---------------------------------------------------------------------------------------------- */

DBM__FN void dbm__level_note(dbm__work *w, dbm__level *level, const dbm_error_info *e) {
    if (level->error == NULL) level->error = (dbm_error_info *)dbm__alloc(w->db->host, sizeof *e); /* kept until the database closes */
    if (level->error != NULL) *level->error = *e;
}

DBM__FN dbm_status dbm__level_again(const dbm__level *level) {
    dbm_status st = level->sticky != DBM_OK ? level->sticky : level->outcome;
    if (level->error != NULL) return dbm__fail_again(level->error);
    return dbm__fail(st, DBM_STAGE_NONE, NULL, level->site, "%s (there was no memory to keep the message in)", dbm_status_text(st));
}

DBM__FN bool dbm__level_stick(dbm__work *w, dbm__level *level, const dbm_error_info *e, int points) {
    if (level->sticky != DBM_OK) return false;
    level->sticky = e->status;
    dbm__level_note(w, level, e);
    level->failed_at = points;
    level->undone = false;
    return true;
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_fail(dbm__work *w, const char *site) {
    dbm_error_info *e = &dbm__self()->last;
    if (site != NULL && e->site[0] == 0) dbm__copy_cut(e->site, sizeof e->site, site);
    if (e->database[0] == 0) dbm__copy_cut(e->database, sizeof e->database, w->db->name);
    if (e->status == DBM_DONE || e->status == DBM_E_NOT_FOUND || (w->side != NULL && w->side->apart)) return e->status;
    if (DBM__UNLIKELY(w->sent_count != 0)) { /* what was sent before it may have failed before it */
        dbm_error_info kept = *e;
        dbm_status st = dbm__work_wait(w);
        if (st != DBM_OK) return st;
        *e = kept;
    }
    if (dbm__level_stick(w, w->top, e, w->points)) dbm__store(&w->trouble, 1);
    return e->status;
}

DBM__FN DBM__NOINLINE bool dbm__work_busy(dbm__work *w, const char *site) {
    if (w->side == NULL || !w->side->busy || dbm__load(&w->side->runner) == dbm__thread_number()) return false;
    dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, site, "a call that waits, on a session that dbm_async_... is under way on: await that one first, and "
              "use the dbm_async_ form of this one");
    return true;
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_trouble(dbm__work *w, const char *site) {
    if (DBM__UNLIKELY(w->side != NULL) && dbm__work_busy(w, site)) return DBM_E_MISUSE;
    if (w->top->sticky != DBM_OK) return dbm__level_again(w->top);
    if (dbm__load(&w->cancelled) != 0) {
        dbm__fail(DBM_E_CANCELLED, DBM_STAGE_STATEMENT, w->db->name, site, "the session was cancelled by %s", DBM__CANCELLED_BY(&w->cancelled));
        return dbm__work_fail(w, site);
    }
    if (w->bulk != NULL) return dbm__bulk_in_the_way(w, site);
    dbm__work_look_again(w);
    return DBM_OK;
}

/* Lifts `trouble` where nothing is left of it. A dbm_cancel that comes meanwhile is not lifted: it sets `cancelled` first. */
DBM__FN DBM__NOINLINE void dbm__work_look_again(dbm__work *w) {
    dbm__swap(&w->trouble, w->side != NULL && w->side->busy ? DBM__SIDE_BUSY : w->bulk != NULL ? DBM__BULK_OPEN : 0);
    if (w->top->sticky != DBM_OK || dbm__load_ordered(&w->cancelled) != 0) dbm__store(&w->trouble, 1);
}

DBM__FN int64_t dbm__work_deadline(dbm__work *w) {
    int64_t d;
    int ms;
    if (DBM__LIKELY(!w->timed)) return INT64_MAX;
    d = w->top->deadline_us;
    ms = w->db->settings->config.statement_timeout_ms;
    if (ms > 0) {
        int64_t s = dbm__deadline(w->db->host, ms);
        if (s < d) d = s;
    }
    return d;
}

DBM__FN int64_t dbm__work_grace(dbm__work *w) {
    int64_t d, g;
    if (!w->timed) return INT64_MAX;
    d = dbm__work_deadline(w);
    g = dbm__deadline(w->db->host, 1000);
    return d > g ? d : g;
}

/* ---- begin -------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__work_gate_leave(dbm__work *w) {
    if (!w->gate_held) return;
    w->gate_held = false;
    dbm__gate_leave(w->db, w->db->gate);
}

static dbm_status dbm__work_gate(dbm__work *w, bool patient, const char *site) {
    int64_t deadline;
    dbm_status st;
    if (w->db->gate == NULL || w->gate_held) return DBM_OK;
    deadline = dbm__work_deadline(w);
    if (deadline == INT64_MAX) deadline = dbm__deadline(w->db->host, w->db->settings->config.pool.timeout_ms > 0 ? w->db->settings->config.pool.timeout_ms : 30000);
    st = dbm__gate_enter(w->db, w->db->gate, dbm__load(&w->slot.holder), deadline, patient, &w->cancelled, site);
    if (st == DBM_OK) w->gate_held = true;
    return st;
}

DBM__FN dbm_status dbm__work_start(dbm__work *w, bool writes, const char *site) {
    dbm_op op;
    dbm_status st;
    if (w->no_transaction) return writes ? dbm__work_gate(w, w->open_rows == 0 || !w->slot.connection.readers_block, site) : DBM_OK;
    if (!w->in_transaction) {
        bool write = writes || w->write;
        if (write && (st = dbm__work_gate(w, true, site)) != DBM_OK) return st;
        dbm__op_init(&op, DBM_OP_BEGIN, dbm__work_deadline(w));
        op.isolation = w->isolation;
        op.read_only = w->read_only;
        op.write = write;
        st = dbm__op_run(&w->slot.connection, &op);
        if (st != DBM_OK) {
            dbm__work_gate_leave(w);
            return st;
        }
        w->in_transaction = true;
        w->wrote = false;
        w->points_sent = 0;
    } else if (writes && w->db->gate != NULL && !w->gate_held) {
        st = dbm__work_gate(w, !w->slot.connection.readers_block, site);
        if (st != DBM_OK) return st;
    }
    while (DBM__UNLIKELY(w->points_sent < w->points)) {
        if (!w->db->savepoints) return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_BEGIN, w->db->name, site, "a backend of type %q has no savepoints, so nothing can run in a block "
                                               "inside of its transaction: use the outer block's session, or give this one .separate = 1", w->db->adapter->type);
        if (w->timed && (st = dbm__work_settle(w)) != DBM_OK) return st; /* while it can be cancelled */
        dbm__op_init(&op, DBM_OP_SAVEPOINT, dbm__work_deadline(w));
        op.savepoint = w->points_sent + 1;
        st = dbm__op_run(&w->slot.connection, &op);
        if (st != DBM_OK) return st;
        w->points_sent++;
    }
    return DBM_OK;
}

/* ---- end ---------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__work_shield(dbm__work *w) {
    dbm__swap(&w->committing, 1);
    while (dbm__load_ordered(&w->cancellers) != 0) dbm__sleep_us(50);
}

DBM__FN dbm_status dbm__work_undo(dbm__work *w) {
    dbm_status st = DBM_OK;
    if (w->in_transaction) {
        dbm_op op;
        if (!w->slot.connection.broken) {
            if (DBM__UNLIKELY(dbm__load(&w->cancelled) != 0)) dbm__work_shield(w); /* a cancel in flight must not hit the ROLLBACK */
            dbm__op_init(&op, DBM_OP_ROLLBACK, dbm__work_grace(w));
            st = dbm__op_run(&w->slot.connection, &op);
            if (st != DBM_OK) w->slot.connection.broken = true; /* an open transaction never goes to the next user */
            dbm__store(&w->committing, 0);
        }
        w->in_transaction = false;
        w->points_sent = 0;
    }
    dbm__work_gate_leave(w);
    w->wrote = false;
    return st;
}

DBM__FN dbm_status dbm__work_rollback(dbm__work *w, bool quiet) {
    dbm_error_info kept;
    dbm_status st;
    bool keep = quiet && w->in_transaction;
    dbm__rows_close_all(w);
    if (keep) kept = dbm__self()->last;
    st = dbm__work_undo(w);
    if (keep) dbm__self()->last = kept;
    return st;
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_late(dbm__work *w) {
    dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_COMMIT, w->db->name, w->top->site, "the deadline passed before the commit; everything was rolled back");
    return dbm__work_fail(w, NULL);
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_uncommitted(dbm__work *w, const dbm_op *op, dbm_status st) {
    dbm_error_info *e = &dbm__self()->last;
    if (!op->of_pipeline) e->stage = DBM_STAGE_COMMIT;
    if (w->slot.connection.broken && w->wrote && (st == DBM_E_LOST || st == DBM_E_TIMEOUT)) {
        char text[512];
        dbm__copy_cut(text, sizeof text, e->message);
        dbm__format(e->message, sizeof e->message, "the connection was lost while committing, so the work may be done or not: %s", text);
        e->status = st = DBM_E_IN_DOUBT;
        e->retryable = false;
        dbm__add(&w->slot.pool->in_doubt, 1);
    }
    dbm__work_fail(w, w->top->site);
    if (st == DBM_E_ROLLED_BACK && !op->of_pipeline) w->in_transaction = false;
    return st;
}

DBM__FN dbm_status dbm__work_commit(dbm__work *w) {
    dbm_status st = DBM_OK;
    if (w->in_transaction) {
        dbm_op op;
        dbm__op_init(&op, DBM_OP_COMMIT, dbm__work_deadline(w));
        if (w->timed && dbm__now(w->db->host) >= op.deadline_us) {
            st = dbm__work_late(w);
            dbm__work_rollback(w, true);
            return st;
        }
        op.no_wait = w->read_only && !w->wrote && w->sent_count == 0;
        dbm__work_shield(w);
        st = dbm__op_run(&w->slot.connection, &op);
        dbm__store(&w->committing, 0);
        if (DBM__UNLIKELY(st != DBM_OK)) {
            st = dbm__work_uncommitted(w, &op, st);
            dbm__work_rollback(w, true);
            return st;
        }
        dbm__sent_drop(w); /* it succeeded, so all before it did */
        w->in_transaction = false;
        w->points_sent = 0;
    }
    dbm__work_gate_leave(w);
    w->wrote = false;
    return DBM_OK;
}

DBM__FN dbm_status dbm__work_point_release(dbm__work *w, int point) {
    dbm_status st = DBM_OK;
    if (w->points_sent >= point && w->in_transaction) {
        dbm_op op;
        if (w->open_rows != 0 && w->db->one_result && (st = dbm__rows_hold(w, NULL)) != DBM_OK) return st;
        dbm__op_init(&op, DBM_OP_RELEASE, dbm__work_deadline(w));
        op.savepoint = point;
        st = dbm__op_run(&w->slot.connection, &op);
        if (st == DBM_OK) {
            dbm__sent_drop(w);
            w->points_sent = point - 1;
        }
    }
    return st;
}

DBM__FN dbm_status dbm__work_point_rollback(dbm__work *w, int point) {
    dbm_status st = DBM_OK;
    (void)dbm__work_settle(w);
    if (w->points_sent >= point && w->in_transaction && !w->slot.connection.broken) {
        dbm_error_info kept = dbm__self()->last;
        dbm_op op;
        st = dbm__rows_hold(w, NULL);
        if (st == DBM_OK) {
            dbm__op_init(&op, DBM_OP_ROLLBACK_TO, dbm__work_grace(w));
            op.savepoint = point;
            st = dbm__op_run(&w->slot.connection, &op);
        }
        if (st == DBM_OK) {
            w->points_sent = point - 1;
            dbm__self()->last = kept;
        }
    }
    return st;
}

/* ---- what a connection carries ------------------------------------------------------------------------------------------- */

/* Whose statement it was that failed: nobody has called it. */
static dbm_status dbm__init_sql_failed(dbm_connection *c, dbm_status st) {
    dbm_error_info *e = &dbm__self()->last;
    char text[sizeof e->message];
    if (st == DBM_E_NOMEM) return st;
    dbm__copy_cut(text, sizeof text, e->message);
    dbm__format(e->message, sizeof e->message, "init_sql: %s", text);
    dbm__redact(c->db->settings, e->message);
    return st;
}

/* Runs the statements of init_sql, each by itself, and leaves no transaction behind. */
static dbm_status dbm__init_sql(dbm_connection *c, const char *sql, int64_t deadline_us) {
    size_t at = 0, size = strlen(sql);
    while (at < size) {
        size_t next = size, length = dbm__sql_statement_end(sql + at, size - at, c->db->adapter->lexer, &next);
        dbm__entry *entry;
        dbm_op op;
        dbm_status st;
        char *text;
        const char *p = sql + at;
        while (length > 0 && (p[0] == ' ' || p[0] == '\n' || p[0] == '\t' || p[0] == '\r')) { p++; length--; }
        if (length > 0) {
            text = dbm__copy_text(c->db->host, p, length);
            if (text == NULL) return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
            st = dbm__cache_take(c, text, false, deadline_us, "init_sql", &entry);
            dbm__free(c->db->host, text);
            if (st != DBM_OK) return dbm__init_sql_failed(c, st);
            dbm__op_init(&op, DBM_OP_EXECUTE, deadline_us);
            dbm__op_execute(&op, &entry->prepared, NULL, 0, deadline_us);
            st = dbm__op_run(c, &op);
            while (st == DBM_OK && op.result != NULL && (op.row || op.kind == DBM_OP_FETCH)) {
                op.row = false;
                op.kind = DBM_OP_FETCH;
                st = dbm__op_run(c, &op);
            }
            dbm__op_drop(c, &op);
            dbm__cache_give(c, entry);
            if (st != DBM_OK && st != DBM_DONE) return dbm__init_sql_failed(c, st);
        }
        at += next;
    }
    return DBM_OK;
}

DBM__FN dbm_status dbm__connection_made(dbm_connection *c, int64_t deadline_us) {
    const dbm_config *config = &c->db->settings->config;
    dbm_status st = dbm__cache_make(c, config->statement_cache);
    if (st != DBM_OK) return st;
    if (config->init_sql != NULL && config->init_sql[0] != 0) st = dbm__init_sql(c, config->init_sql, deadline_us);
    return st;
}

DBM__FN void dbm__connection_gone(dbm_connection *c) { dbm__cache_free(c); }

DBM__FN DBM__NOINLINE void dbm__work_restore(dbm__work *w) {
    w->unusual = false;
    w->autocommit = w->db->autocommit;
    w->read_only = w->write = false;
    w->no_transaction = !w->db->transactions || w->db->autocommit;
    w->timed = w->db->settings->config.statement_timeout_ms > 0;
    w->echo = w->db->settings->config.echo != DBM_ECHO_OFF;
    w->lane = w->timed || w->echo ? NULL : w->db->adapter->start == NULL ? w->db->adapter->execute : dbm__op_run;
    w->isolation = w->db->isolation;
    w->in_transaction = w->wrote = false;
    w->points = w->points_sent = 0;
    dbm__store(&w->trouble, 0);
    dbm__store(&w->cancelled, 0);
    dbm__store(&w->slot.connection.cancelled, 0);
    if (w->top != &w->base) w->top = &w->base; /* a value that came too late may be looking, under the pool's lock */
    w->base.ran = w->base.wrote = w->base.committed = w->base.asked = w->base.ended = w->base.undone = false;
    w->base.point = w->base.points = w->base.failed_at = 0;
    w->base.sticky = DBM_OK;
    w->base.deadline_us = INT64_MAX;
}

/* In a child process: what the parent's session had open is dropped without a word, and no value of it is good any more. */
DBM__FN void dbm__connection_forked(dbm_connection *c) {
    dbm__work *w = (dbm__work *)(void *)((char *)c - offsetof(dbm__slot, connection));
    dbm_rows *rows = &w->one;
    dbm__level *level;
    for (;;) {
        if (rows->row.open && rows->row.entry != NULL) dbm__cache_give(c, rows->row.entry);
        rows->row.entry = NULL;
        rows->row.op.result = NULL;
        rows->row.open = rows->row.fresh = false;
        dbm__row_leave(&rows->row);
        rows->row.ended = true;
        if (rows != &w->one) {
            w->rows = rows->next;
            dbm__rows_spare(w, rows);
        }
        rows = w->rows;
        if (rows == NULL) break;
    }
    dbm__self()->loops = NULL;
    if (w->bulk != NULL && w->bulk->entry != NULL) dbm__cache_give(c, w->bulk->entry);
    w->bulk = NULL;
    dbm__sent_drop(w);
    dbm__statements_end(w);
    for (level = w->base.inner; level != NULL; level = level->inner) level->gen = 0;
    w->top = &w->base;
    w->slot.fork_gen = w->serial; /* all gens so far are the parent's */
    w->serial++;
    w->gen = w->base.gen = w->serial;
    dbm__store(&w->slot.gen, w->serial);
    w->base.ran = w->base.wrote = w->base.committed = w->base.asked = w->base.ended = w->base.undone = false;
    w->in_transaction = w->wrote = w->gate_held = w->joinable = false;
    w->open_rows = 0;
    dbm__store(&w->cancellers, 0);
    dbm__store(&w->committing, 0);
    dbm__work_restore(w);
}

DBM__FN void dbm__works_init(dbm_database *db) {
    int i;
    db->on_fork = dbm__connection_forked;
    db->on_connect = dbm__connection_made;
    db->on_disconnect = dbm__connection_gone;
    db->on_answered = dbm__connection_answered;
    for (i = 0; i < db->pool->slot_count; i++) {
        dbm__work *w = (dbm__work *)(void *)dbm__pool_slot(db->pool, i);
        w->db = db;
        w->restarts = (db->adapter->flags & DBM_ADAPTER_RESTARTS) != 0;
        dbm__rows_init(w, &w->one);
        dbm__work_restore(w);
    }
}

static void dbm__rows_free(dbm_database *db, dbm_rows *rows) {
    while (rows != NULL) {
        dbm_rows *next = rows->next;
        dbm__free(db->host, rows->row.arguments);
        dbm__free(db->host, rows->row.texts);
        dbm__free(db->host, rows);
        rows = next;
    }
}

DBM__FN void dbm__works_free(dbm_database *db) {
    int i;
    if (db->pool == NULL) return;
    for (i = 0; i < db->pool->slot_count; i++) {
        dbm__work *w = (dbm__work *)(void *)dbm__pool_slot(db->pool, i);
        dbm__level *level = w->base.inner;
        dbm__free(db->host, w->base.error);
        while (level != NULL) {
            dbm__level *inner = level->inner;
            dbm__free(db->host, level->error);
            dbm__free(db->host, level);
            level = inner;
        }
        dbm__rows_free(db, w->rows);
        dbm__rows_free(db, w->spare_rows);
        dbm__rows_free(db, w->free_rows);
        while (w->spare_statements != NULL) {
            dbm_statement *next = w->spare_statements->next;
            dbm__free(db->host, w->spare_statements);
            w->spare_statements = next;
        }
        dbm__free(db->host, w->one.row.arguments);
        dbm__free(db->host, w->one.row.texts);
        dbm__free(db->host, w->lifted);
        dbm__bulks_free(w);
        dbm__free(db->host, w->sent);
        if (w->side != NULL) w->side->free(w);
    }
}
