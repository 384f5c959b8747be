/* One call from its target to its end: which session, which statement, what must happen before it is sent, and what its failure means.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: rows. */
#include "session.h"

/* ---- the target --------------------------------------------------------------------------------------------------------------- */

DBM__FN DBM__NOINLINE dbm_status dbm__call_begin(dbm__call *call, dbm_session *on, int kind, const char *site) {
    dbm__work *w;
    call->owns = false;
    call->work = NULL;
    if (on == NULL || on->slot == NULL) return dbm__session_bad(on, site);
    if (on->step == DBM__ON_DATABASE) {
        dbm_database *db = (dbm_database *)on->slot;
        w = dbm__open_block(db);
        if (w == NULL) {
            dbm_status st = dbm__session_open(db, NULL, NULL, kind, site, &call->own);
            if (st != DBM_OK) return st;
            w = (dbm__work *)call->own.slot;
            call->owns = true;
        }
    } else {
        w = dbm__work_of(on);
        if (w == NULL) return dbm__session_bad(on, site);
    }
    call->work = w;
    if (dbm__load(&w->trouble) != 0) {
        dbm_status st = dbm__work_trouble(w, site);
        if (st != DBM_OK) dbm__call_end(call, st);
        return st;
    }
    return DBM_OK;
}

DBM__FN dbm_status dbm__call_end(dbm__call *call, dbm_status st) {
    if (call->owns) {
        if (st != DBM_OK) {
            dbm_error_info kept = dbm__self()->last;
            dbm__session_close(&call->own);
            dbm__self()->last = kept;
        } else {
            dbm__session_close(&call->own);
        }
        call->owns = false;
    }
    return st;
}

/* ---- running ---------------------------------------------------------------------------------------------------------------------- */

/* On one line and cut short. Values are never shown. */
DBM__FN DBM__NOINLINE void dbm__statement_shown(dbm__work *w, const char *sql) {
    dbm_error_info *e = &dbm__self()->last;
    char what[640];
    dbm__text t;
    size_t i, shown = 0;
    bool blank = false;
    if (e->status == DBM_E_NOMEM || sql == NULL) return;
    dbm__copy_cut(what, sizeof what, e->message);
    t = dbm__text_in(e->message, sizeof e->message);
    dbm__putf(&t, "%s [SQL: ", what);
    for (i = 0; sql[i] != 0 && shown < 160; i++) {
        bool is_blank = sql[i] == ' ' || sql[i] == '\n' || sql[i] == '\t' || sql[i] == '\r';
        if (is_blank && (blank || shown == 0)) continue;
        dbm__put_n(&t, is_blank ? " " : &sql[i], 1);
        blank = is_blank;
        shown++;
    }
    while (t.size > 0 && ((unsigned char)t.data[t.size - 1] & 0x80u) && sql[i] != 0) t.data[--t.size] = 0; /* no half character */
    dbm__put(&t, sql[i] != 0 ? "...]" : "]");
    dbm__redact(w->db->settings, e->message);
}

DBM__FN DBM__NOINLINE dbm_status dbm__statement_failed(dbm__work *w, const char *sql, const char *site) {
    if (w->top->sticky != DBM_OK) return dbm__level_again(w->top); /* what failed was sent before it */
    dbm__statement_shown(w, sql);
    return dbm__work_fail(w, site);
}

DBM__FN DBM__NOINLINE void dbm__echo(dbm__work *w, const char *text, const dbm_value *values, int count, const char *site) {
    char block[1000];
    dbm__text t;
    int i;
    if (!dbm__event_wanted(w->db->host, DBM_LOG_INFO)) return;
    t = dbm__text_in(block, sizeof block);
    dbm__put(&t, text);
    if (w->db->settings->config.echo == DBM_ECHO_VALUES) {
        for (i = 0; i < count; i++) {
            char number[64];
            size_t size;
            const char *shown = values[i].type == DBM_TYPE_NULL ? "NULL" : values[i].type == DBM_TYPE_BLOB ? "(blob)" : dbm__to_text(&values[i], number, sizeof number, &size);
            dbm__putf(&t, "%s%s", i == 0 ? " -- " : ", ", shown);
        }
    }
    dbm__redact(w->db->settings, block);
    dbm__event(w->db->host, DBM_EVENT_STATEMENT, DBM_LOG_INFO, w->db->name, site, DBM_OK, 0, "%s", block);
}

/* The block that values and their texts need; and they, copied into it. */
DBM__FN size_t dbm__values_room(const dbm_value *values, int count) {
    size_t need = (size_t)count * sizeof *values;
    int i;
    for (i = 0; i < count; i++) if (dbm__is_text(values[i].type)) need += values[i].as.text.size + 1;
    return need;
}
DBM__FN const dbm_value *dbm__values_put(const dbm_value *values, int count, char *block) {
    dbm_value *copy = (dbm_value *)(void *)block;
    char *text = block + (size_t)count * sizeof(dbm_value);
    int i;
    for (i = 0; i < count; i++) {
        copy[i] = values[i];
        /* A blob without bytes may be an adapter's own, such as dbm_bson(): its pointer is kept. */
        if (dbm__is_text(values[i].type) && !(values[i].type == DBM_TYPE_BLOB && values[i].as.text.size == 0)) {
            if (values[i].as.text.size != 0) memcpy(text, values[i].as.text.data, values[i].as.text.size);
            text[values[i].as.text.size] = 0;
            copy[i].as.text.data = text;
            text += values[i].as.text.size + 1;
        }
    }
    return copy;
}

/* Values that a result needs until it is finished: copied, texts and all, into a block that the cursor keeps. */
DBM__FN DBM__NOINLINE dbm_status dbm__keep_values(dbm__work *w, dbm_rows *rows, const dbm_value *values, int count, const dbm_value **out) {
    size_t need = dbm__values_room(values, count);
    if (need > rows->row.arguments_size) {
        size_t size = need < 256 ? 256 : need + need / 2;
        char *block = (char *)dbm__resize(w->db->host, rows->row.arguments, size);
        if (block == NULL) return dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, NULL);
        rows->row.arguments = block;
        rows->row.arguments_size = size;
    }
    *out = dbm__values_put(values, count, rows->row.arguments);
    return DBM_OK;
}

DBM__FN DBM__NOINLINE dbm_status dbm__one_end(dbm__work *w, const char **sql, const dbm_value **values, int count, const char *site) {
    size_t text = *sql != NULL ? strlen(*sql) + 1 : 0, room = dbm__values_room(*values, count), need;
    if (room == (size_t)count * sizeof **values) room = 0; /* no text among them */
    need = room + text;
    if (need != 0 && (need > w->lifted_size || w->lifted_size > DBM__ARGUMENTS_KEPT)) {
        size_t size = need < 256 ? 256 : need + need / 2;
        char *block = (char *)dbm__resize(w->db->host, w->lifted, size);
        if (block == NULL) {
            dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
            return dbm__work_fail(w, site);
        }
        w->lifted = block;
        w->lifted_size = size;
    }
    if (room != 0) *values = dbm__values_put(*values, count, w->lifted);
    if (text != 0) {
        w->lifted_hint = dbm__cache_hint(*sql) + 1;
        *sql = (const char *)memcpy(w->lifted + room, *sql, text);
    }
    dbm__rows_close(&w->one);
    if (text != 0) dbm__cache_hint_copy(&w->slot.connection, w->lifted_hint - 1, dbm__cache_hint(*sql));
    return DBM_OK;
}

/* A statement handle's entry after a reconnect, or while its own is busy. */
static DBM__NOINLINE dbm_status dbm__statement_entry(dbm__work *w, dbm_statement *st, const char *site, dbm__entry **out) {
    dbm_status rc;
    if (st->entry == NULL) { /* the handle keeps one use of its entry */
        if (st->sql == NULL) return dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
        rc = dbm__cache_take(&w->slot.connection, st->sql, false, dbm__work_deadline(w), site, &st->entry);
        if (rc != DBM_OK) return rc;
    }
    if (st->entry->prepared.single && st->entry->uses > 1) return dbm__cache_take(&w->slot.connection, st->entry->text, false, dbm__work_deadline(w), site, out);
    st->entry->uses++;
    *out = st->entry;
    return DBM_OK;
}

/* The session changed the connection itself; pool_reset_on_return = commit or none leaves that to the next user. */
static void dbm__work_changed(dbm__work *w) {
    dbm_reset reset = w->db->settings->config.pool.reset_on_return;
    if (reset != DBM_RESET_NONE && reset != DBM_RESET_COMMIT) w->slot.reset_full = true;
}

/* What a session refuses before anything is sent; and what changes the connection itself is noted, whether it writes (PRAGMA x = y) or not. */
DBM__FN DBM__NOINLINE dbm_status dbm__refuse(dbm__work *w, const dbm__entry *entry, const char *site) {
    if (entry->verb == DBM__VERB_STATE) dbm__work_changed(w);
    if (entry->verb == DBM__VERB_TRANSACTION) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site,
                         "transactions belong to the session here: use dbm_commit(s), dbm_rollback(s) or DBM_SAVEPOINT(s), or dbm_native for all else");
    }
    if (w->read_only && entry->prepared.writes) {
        return dbm__fail(DBM_E_READ_ONLY, DBM_STAGE_STATEMENT, w->db->name, site, "the session is .read_only and the statement writes");
    }
    return DBM_OK;
}

DBM__FN DBM__NOINLINE dbm_status dbm__values_wrong(dbm__work *w, const dbm__entry *entry, int count, const char *site) {
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "the statement has %d placeholder%s and the call passes %d value%s",
                     entry->prepared.parameters, entry->prepared.parameters == 1 ? "" : "s", count, count == 1 ? "" : "s");
}

DBM__FN DBM__NOINLINE bool dbm__may_replace(dbm__work *w, dbm_status rc, bool was_clean, bool writes) {
    if (rc != DBM_E_LOST || !w->slot.connection.broken || !was_clean || w->open_rows != 0) return false; /* one that is slow is not dead */
    if (w->slot.connection.state != DBM_STATE_NONE) return false; /* another one would not have what the session left on this one */
    if (w->top->sticky != DBM_OK || w->commands != 0) return false; /* what was sent before it is lost */
    return !w->no_transaction || !writes;
}

DBM__FN DBM__NOINLINE void dbm__work_renewing(dbm__work *w) {
    dbm_statement *st;
    for (st = w->statements; st != NULL; st = st->next) { /* their texts go with the cache; without memory for one, its handle says so */
        if (st->entry == NULL) continue;
        if (st->sql == NULL) st->sql = dbm__copy_text(w->db->host, st->entry->text, st->entry->text_size);
        dbm__cache_give(&w->slot.connection, st->entry);
        st->entry = NULL;
    }
    dbm__rows_close_all(w); /* rows that stand at their end have a statement too */
    dbm__sent_drop(w);
    w->in_transaction = false;
    w->points_sent = 0;
    dbm__work_gate_leave(w);
    dbm__work_shield(w); /* dbm_cancel reads what the adapter keeps of the connection, which goes now */
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_renew(dbm__work *w) {
    dbm_status rc;
    dbm__work_renewing(w);
    rc = dbm__pool_reconnect(&w->slot, dbm__work_deadline(w));
    dbm__store_release(&w->committing, 0); /* dbm_cancel sees the new one whole */
    return rc;
}

DBM__FN DBM__NOINLINE void dbm__work_doubt(dbm__work *w, dbm_status rc) {
    dbm_error_info *e = &dbm__self()->last;
    char text[sizeof e->message];
    if (!w->no_transaction || !w->slot.connection.broken || (rc != DBM_E_LOST && rc != DBM_E_TIMEOUT && rc != DBM_E_CANCELLED)) return;
    dbm__copy_cut(text, sizeof text, e->message);
    dbm__format(e->message, sizeof e->message, "the connection was lost while the statement was running, so it may be done or not: %s", text);
    e->status = DBM_E_IN_DOUBT;
    e->retryable = false;
    dbm__add(&w->slot.pool->in_doubt, 1);
}

/* The backend ended the transaction by itself, with the statement that just ran. */
DBM__FN DBM__NOINLINE dbm_status dbm__work_ended(dbm__work *w, const char *site) {
    bool wrote = w->wrote;
    if (!w->in_transaction) return DBM_OK;
    if (wrote) {
        return dbm__fail(DBM_E_IMPLICIT_COMMIT, DBM_STAGE_STATEMENT, w->db->name, site,
                         "the statement committed the transaction by itself, with what this session had written before: run such statements (CREATE, ALTER, "
                         "DROP, TRUNCATE, LOCK) in a session of their own, or call dbm_commit(s) first");
    }
    w->in_transaction = false;
    w->points_sent = 0;
    return DBM_OK;
}

/* The end of a statement that failed, and of its use. */
static DBM__NOINLINE dbm_status dbm__run_failed(dbm__work *w, dbm__entry *entry, dbm_op *op, dbm_status rc, const char *sql, const char *site) {
    dbm__op_drop(&w->slot.connection, op);
    return dbm__run_over(w, entry, rc, sql, site);
}

DBM__FN DBM__NOINLINE dbm_status dbm__run_over(dbm__work *w, dbm__entry *entry, dbm_status rc, const char *sql, const char *site) {
    if (w->no_transaction) dbm__work_gate_leave(w);
    if (entry->prepared.writes) dbm__work_doubt(w, rc);
    rc = dbm__statement_failed(w, sql, site);
    dbm__cache_give(&w->slot.connection, entry); /* sql may be its text */
    return rc;
}

DBM__FN dbm_status dbm__work_run(dbm__work *w, const char *sql, dbm_statement *st, bool named, const char *site, dbm_value *values, int count,
                                 dbm_op *op, dbm__entry **out, dbm_rows *rows) {
    dbm__entry *entry;
    dbm_value ordered[DBM__MAX_VALUES], *given;
    dbm_connection *c = &w->slot.connection;
    bool was_clean = !w->in_transaction, replaced = false;
    int given_count = count;
    dbm_status rc;
    *out = NULL;
    op->result = NULL; /* nothing to finish yet, if it fails before it is sent */
    if (DBM__UNLIKELY(w->one.row.open)) {
        const dbm_value *kept = values;
        rc = dbm__one_end(w, &sql, &kept, count, site);
        if (rc != DBM_OK) return rc;
        values = (dbm_value *)kept; /* the caller's, or in a block of our own */
    }
    if (DBM__UNLIKELY(sql == NULL && st == NULL)) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "the SQL text is NULL");
        return dbm__work_fail(w, site);
    }
    if (DBM__UNLIKELY(w->timed) && dbm__now(w->db->host) >= w->top->deadline_us) {
        dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, w->db->name, site, "the session's deadline (timeout_ms) passed before the statement was sent");
        return dbm__work_fail(w, site);
    }
    if (DBM__UNLIKELY(w->open_rows != 0) && w->db->one_result) { /* preparing may already talk to the server */
        rc = dbm__rows_hold(w, site);
        if (rc != DBM_OK) return dbm__statement_failed(w, sql != NULL ? sql : st->entry != NULL ? st->entry->text : st->sql, site);
    }
    given = values;
again:
    if (st != NULL) {
        if (DBM__LIKELY(st->entry != NULL && st->entry->uses == 1)) {
            entry = st->entry;
            entry->uses = 2;
        } else {
            rc = dbm__statement_entry(w, st, site, &entry);
            if (rc != DBM_OK) return dbm__work_fail(w, site);
        }
        sql = st->entry->text;
    } else {
        rc = dbm__cache_take(c, sql, named, dbm__work_deadline(w), site, &entry);
        if (DBM__UNLIKELY(rc != DBM_OK)) {
            if (!replaced && dbm__may_replace(w, rc, was_clean, false)) goto replace;
            return dbm__statement_failed(w, sql, site);
        }
        if (DBM__UNLIKELY(w->lifted_hint != 0)) {
            dbm__cache_hint_copy(c, dbm__cache_hint(sql), w->lifted_hint - 1);
            w->lifted_hint = 0;
        }
    }
    if (DBM__UNLIKELY(entry->verb >= DBM__VERB_STATE || w->read_only)) {
        rc = dbm__refuse(w, entry, site);
        if (rc != DBM_OK) goto failed;
    }
    if (DBM__UNLIKELY(named)) {
        rc = dbm__values_order(entry, given, given_count, ordered, w->db->name, site);
        if (rc != DBM_OK) goto failed;
        values = ordered;
        if (entry->prepared.parameters >= 0) count = entry->prepared.parameters;
    } else if (DBM__UNLIKELY(entry->prepared.parameters != count && entry->prepared.parameters >= 0)) {
        rc = dbm__values_wrong(w, entry, count, site);
        goto failed;
    }
    if (entry->prepared.writes && DBM__UNLIKELY(w->open_rows != 0)) {
        rc = dbm__rows_hold(w, site);
        if (rc != DBM_OK) goto failed;
    }
    if (!(w->in_transaction && w->points_sent == w->points && (!entry->prepared.writes || w->gate_held || w->db->gate == NULL))
        && !(w->no_transaction && !entry->prepared.writes)) {
        rc = dbm__work_start(w, entry->prepared.writes, site);
        if (DBM__UNLIKELY(rc != DBM_OK)) goto failed;
    }
    op->values = values;
    if (rows != NULL && count != 0 && (rc = dbm__keep_values(w, rows, values, count, &op->values)) != DBM_OK) goto failed;
    if (DBM__UNLIKELY(w->echo)) dbm__echo(w, entry->text, op->values, count, site);
    dbm__store(&w->slot.statements, w->slot.statements + 1u);
    w->top->ran = true;
    dbm__op_execute(op, &entry->prepared, op->values, count, dbm__work_deadline(w));
    op->result = NULL;
    op->affected = op->last_id = -1;
    op->settled = op->ended = false;
    op->row_buffer = w->db->settings->config.row_buffer;
    op->columns = 0;
    if (DBM__LIKELY(w->db->adapter->start == NULL && w->db->adapter->execute != NULL)) {
        rc = w->db->adapter->execute(c, op);
        if (DBM__UNLIKELY(rc != DBM_OK && rc != DBM_DONE)) rc = rc == DBM_E_UNSUPPORTED ? dbm__op_run(c, op) : dbm__op_failed(c, DBM_OP_EXECUTE, rc);
    } else {
        rc = dbm__op_run(c, op);
    }
    if (DBM__UNLIKELY(rc != DBM_OK && rc != DBM_DONE)) goto failed;
    if (DBM__UNLIKELY(op->ended) && (rc = dbm__work_ended(w, site)) != DBM_OK) goto failed;
    if (entry->prepared.writes) dbm__work_wrote(w, entry, op);
    *out = entry;
    return DBM_OK;
failed:
    {
        if (!replaced && dbm__may_replace(w, rc, was_clean, entry->prepared.writes)) {
            dbm__cache_give(c, entry);
            goto replace;
        }
        return dbm__run_failed(w, entry, op, rc, sql, site);
    }
replace:
    replaced = true;
    if (dbm__work_renew(w) != DBM_OK) return dbm__work_fail(w, site);
    goto again;
}

/* The end of a statement that has run, and of its use. Rows that nobody wants are read to the end, so that all it does is done. */
static DBM__NOINLINE dbm_status dbm__exec_rest(dbm__work *w, dbm__entry *entry, dbm_op *op, const char *site) {
    dbm_status rc = DBM_OK;
    if (op->result != NULL) {
        op->kind = DBM_OP_FETCH;
        do {
            op->row = false;
            rc = dbm__op_run(&w->slot.connection, op);
        } while (rc == DBM_OK);
        dbm__op_drop(&w->slot.connection, op);
        return dbm__exec_over(w, entry, op, rc, site);
    }
    dbm__cache_give(&w->slot.connection, entry);
    return rc;
}

/* Its rows have been read to the end, or that failed, and are finished. */
DBM__FN DBM__NOINLINE dbm_status dbm__exec_over(dbm__work *w, dbm__entry *entry, const dbm_op *op, dbm_status rc, const char *site) {
    if (rc == DBM_DONE && entry->prepared.writes && op->affected >= 0) w->affected = op->affected;
    if (w->no_transaction) dbm__work_gate_leave(w);
    if (rc != DBM_DONE) {
        if (entry->prepared.writes && !op->settled) dbm__work_doubt(w, rc);
        rc = dbm__statement_failed(w, entry->text, site);
    }
    dbm__cache_give(&w->slot.connection, entry);
    return rc == DBM_DONE ? DBM_OK : rc;
}

DBM__FN dbm_status dbm__work_exec(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, bool send, const char *site) {
    dbm__entry *entry;
    dbm_op op;
    dbm_status rc;
    DBM_ASSERT(w != NULL);
    dbm__op_init(&op, DBM_OP_EXECUTE, INT64_MAX);
    op.no_wait = send && w->db->pipeline;
    if (op.no_wait && (rc = dbm__sent_room(w, site)) != DBM_OK) return rc;
    rc = dbm__work_run(w, sql, st, named, site, values, count, &op, &entry, NULL);
    return rc != DBM_OK ? rc : op.queued ? dbm__sent_put(w, entry, site) : dbm__exec_rest(w, entry, &op, site);
}

/* The short way: a statement that is at hand and writes without giving rows, in a transaction that has its turn to write, while nothing is read. */
DBM__INLINE bool dbm__exec_lane(const dbm__work *w) {
    return dbm__lane_open(w) && w->in_transaction && w->open_rows == 0 && !w->one.row.open && !w->read_only && (w->gate_held || w->db->gate == NULL);
}

static DBM__NOINLINE dbm_status dbm__exec_lane_else(dbm__work *w, dbm__entry *e, dbm_op *op, dbm_status rc, const char *site) {
    if (w->db->adapter->start == NULL) { /* else dbm__op_run has said it */
        if (rc == DBM_E_UNSUPPORTED) rc = dbm__op_run(&w->slot.connection, op);
        else if (rc != DBM_OK && rc != DBM_DONE) rc = dbm__op_failed(&w->slot.connection, DBM_OP_EXECUTE, rc);
    }
    if (rc == DBM_DONE) rc = DBM_OK;
    if (rc == DBM_OK && op->ended) rc = dbm__work_ended(w, site);
    if (rc != DBM_OK) return dbm__run_failed(w, e, op, rc, e->text, site);
    dbm__work_wrote(w, e, op);
    return dbm__exec_rest(w, e, op, site);
}

/* `e` has `own` uses; this one is counted meanwhile. */
DBM__INLINE dbm_status dbm__exec_quick(dbm__work *w, dbm__entry *e, int own, const dbm_value *values, int count, const char *site) {
    dbm_op *op = &w->one.row.op; /* which nobody reads */
    dbm_status rc;
    e->uses = own + 1;
    dbm__lane_op(w, e, values, count);
    op->one_row = op->settled = op->ended = false;
    op->result = NULL;
    op->affected = op->last_id = -1;
    rc = w->lane(&w->slot.connection, op);
    if (DBM__UNLIKELY(rc != DBM_OK || op->result != NULL || op->ended)) return dbm__exec_lane_else(w, e, op, rc, site);
    dbm__work_wrote(w, e, op);
    e->uses = own;
    return DBM_OK;
}

/* ---- commands of the backend's own ------------------------------------------------------------------------------------------------------ */

/* A command has run, or was sent, or its reply was received. */
static dbm_status dbm__work_commanded(dbm__work *w, dbm_op *op, dbm_status rc, bool changes, const char *site) {
    dbm_connection *c = &w->slot.connection;
    bool received = op->kind == DBM_OP_RECEIVE;
    if (op->queued) w->commands++;
    else if (c->broken && rc != DBM_OK) w->commands = 0;
    else if (received && w->commands > 0) w->commands--;
    if (rc != DBM_OK) dbm__op_drop(c, op);
    return dbm__command_over(w, op, rc, changes, site);
}

/* As dbm__work_run, without a statement: nothing is parsed, cached or echoed. `send`: it is not waited for; values NULL: the next reply to one that was
 * sent. */
static dbm_status dbm__work_command(dbm__work *w, const dbm_value *values, int count, bool writes, bool send, const char *site, dbm_op *op) {
    dbm_connection *c = &w->slot.connection;
    bool was_clean = !w->in_transaction, replaced = false, changes = writes;
    dbm_status rc;
    const char *none = NULL;
    DBM_ASSERT(values != NULL || count == 0);
    op->result = NULL;
    if (w->one.row.open && (rc = dbm__one_end(w, &none, &values, count, site)) != DBM_OK) return rc;
    if (w->timed && dbm__now(w->db->host) >= w->top->deadline_us) {
        dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, w->db->name, site, "the session's deadline (timeout_ms) passed before the command was sent");
        return dbm__work_fail(w, site);
    }
    if (writes && w->read_only) {
        dbm__fail(DBM_E_READ_ONLY, DBM_STAGE_STATEMENT, w->db->name, site, "the session is .read_only and the command writes");
        return dbm__work_fail(w, site);
    }
    for (;;) {
        rc = w->open_rows != 0 ? dbm__rows_hold(w, site) : DBM_OK;
        if (rc == DBM_OK && !(w->in_transaction && w->points_sent == w->points) && !(w->no_transaction && !writes)) rc = dbm__work_start(w, writes, site);
        if (rc == DBM_OK) {
            dbm__store(&w->slot.statements, w->slot.statements + 1u);
            w->top->ran = true;
            dbm__op_init(op, values != NULL ? DBM_OP_COMMAND : DBM_OP_RECEIVE, dbm__work_deadline(w));
            op->values = values;
            op->value_count = count;
            op->write = writes;
            op->no_wait = send;
            op->site = send ? site : NULL;
            op->row_buffer = w->db->settings->config.row_buffer;
            rc = dbm__op_run(c, op);
            changes = op->write;
            if (rc == DBM_DONE && values == NULL) return DBM_DONE;
            if (rc == DBM_DONE) rc = DBM_OK;
            if (rc == DBM_OK && op->ended) rc = dbm__work_ended(w, site);
        }
        if (rc == DBM_OK || replaced || !dbm__may_replace(w, rc, was_clean, writes)) break;
        replaced = true;
        if (dbm__work_renew(w) != DBM_OK) return dbm__work_fail(w, site);
    }
    return dbm__work_commanded(w, op, rc, changes, site);
}

/* The short way of the pipeline, see dbm__exec(): what the adapter does from memory, in a session that nothing watches. False: nothing was done. */
DBM__INLINE bool dbm__command_lane(dbm__work *w, dbm_op *op, dbm_op_kind kind, const dbm_value *values, int count, bool writes, const char *site, dbm_status *st) {
    dbm_connection *c = &w->slot.connection;
    op->kind = kind;
    op->isolation = DBM_ISOLATION_DEFAULT;
    op->read_only = op->one_row = op->queued = op->reply = op->alone = false;
    op->savepoint = 0;
    op->native = op->state = NULL;
    op->values = values;
    op->value_count = count;
    op->prepared = NULL;
    op->write = writes;
    op->no_wait = values != NULL;
    op->site = values != NULL ? site : NULL;
    op->deadline_us = INT64_MAX;
    op->row_buffer = w->db->settings->config.row_buffer;
    op->result = NULL;
    op->row = op->settled = op->ended = op->of_pipeline = false;
    op->answered = 0;
    op->affected = op->last_id = op->sent_affected = op->sent_last_id = -1;
    c->reported = false;
    *st = w->db->adapter->execute(c, op);
    if (DBM__UNLIKELY(*st == DBM_E_UNSUPPORTED)) return false;
    dbm__store(&w->slot.statements, w->slot.statements + 1u);
    w->top->ran = true;
    if (DBM__LIKELY(*st == DBM_OK)) {
        w->commands += op->queued ? 1 : -1;
        if (writes) w->wrote = w->top->wrote = true;
    } else {
        *st = dbm__work_commanded(w, op, dbm__op_end(c, op, *st), op->write, site);
    }
    return true;
}
DBM__INLINE bool dbm__command_lane_open(const dbm__work *w) {
    return dbm__lane_open(w) && w->no_transaction && w->db->pipeline && w->db->gate == NULL && !w->read_only && w->rows == NULL && w->db->adapter->execute != NULL;
}

DBM__FN bool dbm__command_sent(dbm__work *w, const char *site, const dbm_value *values, int count, bool writes, dbm_status *st) {
    dbm_op op;
    if (!dbm__command_lane_open(w) || !dbm__command_lane(w, &op, DBM_OP_COMMAND, values, count, writes, site, st)) return false;
    if (w->one.row.open) dbm__lane_close_one(w); /* now, for texts of it may have been among the values */
    return true;
}

DBM__FN bool dbm__command_received(dbm__work *w, const char *site, dbm_row **out, dbm_status *st) {
    dbm_row *row = &w->one.row;
    if (w->commands == 0 || !dbm__command_lane_open(w)) return false;
    if (row->open) dbm__lane_close_one(w);
    dbm__rows_reset(w, &w->one, site);
    if (!dbm__command_lane(w, &row->op, DBM_OP_RECEIVE, NULL, 0, false, site, st)) return false;
    if (DBM__UNLIKELY(*st != DBM_OK || row->op.result == NULL)) return true;
    dbm__row_stand(row);
    row->open = true;
    row->fresh = false;
    w->open_rows++;
    if (DBM__LIKELY(row->op.row)) *out = row;
    else dbm__rows_close(&w->one);
    return true;
}

DBM__FN dbm_status dbm__command_over(dbm__work *w, const dbm_op *op, dbm_status rc, bool changes, const char *site) {
    if (rc != DBM_OK) {
        if (changes) dbm__work_doubt(w, rc);
        return dbm__work_fail(w, op->site != NULL ? op->site : site);
    }
    if (changes) {
        if (!op->ended) w->wrote = w->top->wrote = true;
        if (op->affected >= 0) w->affected = op->affected;
        if (op->last_id >= 0) w->last_id = op->last_id;
    }
    return DBM_OK;
}

/* A call on a database is a session of its own, which nothing can be sent or received in. */
static dbm_status dbm__pipeline_begin(dbm__call *call, dbm_session *on, const char *site) {
    call->work = NULL;
    if (on != NULL && on->step == DBM__ON_DATABASE && on->slot != NULL && dbm__open_block((dbm_database *)on->slot) == NULL) {
        return dbm__on_fail(on, DBM_E_MISUSE, site, "what is sent without waiting, and its replies, belong to a session: begin one");
    }
    return dbm__call_begin(call, on, DBM__KIND_ROWS, site);
}

DBM__FN dbm_status dbm__command_send(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes) {
    dbm__call call;
    dbm_op op;
    dbm_status st = dbm__pipeline_begin(&call, on, site);
    if (st != DBM_OK) return st;
    DBM_ASSERT(call.work != NULL);
    return dbm__work_command(call.work, values, count, writes, true, site, &op);
}

DBM__FN dbm_status dbm__command(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes, dbm_rows **out) {
    dbm__call call;
    dbm_rows *rows;
    dbm_status st;
    *out = NULL;
    st = values != NULL ? dbm__call_begin(&call, on, DBM__KIND_ROWS, site) : dbm__pipeline_begin(&call, on, site);
    if (st != DBM_OK) return st;
    DBM_ASSERT(call.work != NULL);
    rows = dbm__rows_new(call.work);
    if (rows == NULL) {
        dbm__no_memory(DBM_STAGE_STATEMENT, call.work->db->name, site);
        return dbm__call_end(&call, dbm__work_fail(call.work, site));
    }
    dbm__rows_reset(call.work, rows, site);
    st = dbm__work_command(call.work, values, count, writes, false, site, &rows->row.op);
    if (st != DBM_OK) {
        dbm__rows_spare(call.work, rows);
        return dbm__call_end(&call, st);
    }
    dbm__rows_opened(call.work, rows);
    rows->row.owns_session = call.owns;
    *out = rows;
    return DBM_OK;
}

DBM__FN dbm_status dbm__command_one(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes, dbm_row **out) {
    dbm__call call;
    dbm_rows *rows;
    const char *none = NULL;
    dbm_status st;
    *out = NULL;
    st = values != NULL ? dbm__call_begin(&call, on, DBM__KIND_ROWS, site) : dbm__pipeline_begin(&call, on, site);
    if (st != DBM_OK) return st;
    DBM_ASSERT(call.work != NULL);
    DBM_ASSERT(values != NULL || count == 0);
    rows = call.owns ? dbm__rows_new(call.work) : &call.work->one;
    if (rows == NULL) {
        dbm__no_memory(DBM_STAGE_STATEMENT, call.work->db->name, site);
        return dbm__call_end(&call, dbm__work_fail(call.work, site));
    }
    if (rows == &call.work->one && rows->row.open && (st = dbm__one_end(call.work, &none, &values, count, site)) != DBM_OK) return dbm__call_end(&call, st);
    dbm__rows_reset(call.work, rows, site);
    st = dbm__work_command(call.work, values, count, writes, false, site, &rows->row.op);
    if (st != DBM_OK) {
        if (rows != &call.work->one) dbm__rows_spare(call.work, rows);
        return dbm__call_end(&call, st);
    }
    rows->row.owns_session = call.owns;
    dbm__rows_opened(call.work, rows);
    st = dbm_rows_next(rows, out);
    if (st == DBM_OK) return DBM_OK;
    if (st != DBM_DONE) {
        dbm_error_info kept = dbm__self()->last;
        dbm_rows_end(rows);
        dbm__self()->last = kept;
        return st;
    }
    dbm_rows_end(rows);
    return DBM_OK;
}

/* ---- the public calls --------------------------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__given_read(dbm__work *w, const dbm__given *given, dbm_value *out, int *count, bool *named, const char *site) {
    dbm_status st = DBM_OK;
    int i;
    *count = 0;
    *named = false;
    if (given->codes != NULL) {
        if (given->codes[0] != 0) st = dbm__values_read(out, count, named, given->codes, *given->ap);
    } else if (given->count < 0 || given->count > DBM__MAX_VALUES || (given->count > 0 && given->values == NULL)) {
        st = dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, w->db->name, site, "%d values: a call takes 0 to %d", given->count, (int)DBM__MAX_VALUES);
    } else {
        *count = given->count;
        for (i = 0; i < given->count; i++) {
            out[i] = given->values[i];
            if (out[i].name != NULL) *named = true;
        }
        st = dbm__values_check(out, given->count, w->db->name, site);
    }
    return DBM__LIKELY(st == DBM_OK) ? DBM_OK : dbm__work_fail(w, site);
}

static DBM__NOINLINE dbm_status dbm__exec_given(dbm_session *on, const char *site, bool send, const char *sql, dbm__given given) {
    dbm_value values[DBM__MAX_VALUES];
    dbm__call call;
    bool named;
    int count;
    dbm_status st = dbm__call_begin(&call, on, DBM__KIND_CALL, site);
    if (DBM__UNLIKELY(st != DBM_OK)) return st;
    st = dbm__given_read(call.work, &given, values, &count, &named, site);
    if (DBM__LIKELY(st == DBM_OK)) st = dbm__work_exec(call.work, sql, NULL, values, count, named, send, site);
    return call.owns ? dbm__call_end(&call, st) : st;
}

DBM__DEF DBM__HOT dbm_status dbm__exec(dbm_session *on, const char *site, const char *sql, const char *codes, ...) {
    va_list ap;
    dbm_status st;
    dbm__work *w;
    if (DBM__LIKELY(on != NULL && on->step != DBM__ON_DATABASE && sql != NULL && (w = dbm__work_of(on)) != NULL && dbm__exec_lane(w))) {
        dbm__entry *e = dbm__cache_known(&w->slot.connection, sql);
        if (DBM__LIKELY(e != NULL && e->uses == 0)) {
            dbm_value values[DBM__LANE_VALUES];
            int count;
            va_start(ap, codes);
            count = dbm__values_short(values, DBM__LANE_VALUES, true, codes, &ap);
            va_end(ap);
            if (DBM__LIKELY(count == e->quick)) {
                dbm__cache_hit(&w->slot.connection, e);
                return dbm__exec_quick(w, e, 0, values, count, site);
            }
        }
    }
    va_start(ap, codes);
    st = dbm__exec_given(on, site, false, sql, dbm__given_list(codes, &ap));
    va_end(ap);
    return st;
}

/* dbm_send: without a pipeline, and on a database, the statement runs at once; on a session its failure shows where a pipeline would show it: it sticks,
 * and the next call that waits, or the commit, answers it. What failed before is said at once. */
static dbm_status dbm__sent_before(dbm_session *on, const char *site) {
    dbm__work *w;
    if (on == NULL || on->step == DBM__ON_DATABASE) return DBM_OK;
    w = dbm__work_of(on);
    return w == NULL ? dbm__session_bad(on, site) : dbm__load(&w->trouble) != 0 ? dbm__work_trouble(w, site) : DBM_OK;
}

static dbm_status dbm__sent_hidden(dbm_session *on, dbm_status st) {
    dbm__work *w = on == NULL || on->step == DBM__ON_DATABASE ? NULL : dbm__work_of(on);
    return w != NULL && w->top->sticky != DBM_OK ? DBM_OK : st;
}

static dbm_status dbm__send_given(dbm_session *on, const char *site, const char *sql, dbm__given given) {
    dbm_status st = dbm__sent_before(on, site);
    return st == DBM_OK ? dbm__sent_hidden(on, dbm__exec_given(on, site, on != NULL && on->step != DBM__ON_DATABASE, sql, given)) : st;
}

DBM__DEF dbm_status dbm__send(dbm_session *on, const char *site, const char *sql, const char *codes, ...) DBM__PASS_ON(dbm__send_given(on, site, sql, given))

DBM__DEF dbm_status dbm__execv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count) {
    return dbm__exec_given(on, site, false, sql, dbm__given_array(values, count));
}

DBM__DEF dbm_status dbm__sendv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count) {
    return dbm__send_given(on, site, sql, dbm__given_array(values, count));
}

/* ---- prepared statements --------------------------------------------------------------------------------------------------------------- */

/* The end of handles that are in no list any more: `first` and those behind it. */
DBM__INLINE void dbm__statements_spare(dbm__work *w, dbm_statement *first) {
    dbm_statement *st = first;
    if (w->spare_statements != NULL) w->last_spare_statement->next = first;
    else w->spare_statements = first;
    for (;; st = st->next) {
        if (st->entry != NULL) dbm__cache_give(&w->slot.connection, st->entry);
        if (DBM__UNLIKELY(st->sql != NULL)) dbm__free(w->db->host, st->sql);
        st->sql = NULL;
        st->entry = NULL;
        st->ended_in = st->gen;
        st->gen = 0;
        w->spare_statements_count++;
        if (st->next == NULL) break;
    }
    w->last_spare_statement = st;
}

DBM__DEF dbm_status dbm__prepare(dbm_session *s, const char *sql, dbm_statement **out, const char *site) {
    dbm__work *w;
    dbm_statement *st;
    dbm__entry *entry = NULL;
    dbm_status rc;
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_prepare: out is NULL");
    *out = NULL;
    w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) return dbm__session_bad(s, site);
    if (dbm__load(&w->trouble) != 0 && (rc = dbm__work_trouble(w, site)) != DBM_OK) return rc;
    if (sql == NULL) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "dbm_prepare: the SQL text is NULL");
        return dbm__work_fail(w, site);
    }
    entry = dbm__cache_known(&w->slot.connection, sql);
    if (DBM__LIKELY(entry != NULL && dbm__cache_serves(entry, false))) {
        entry->uses++;
        dbm__cache_hit(&w->slot.connection, entry);
    } else {
        if (w->open_rows != 0 && w->db->one_result && dbm__rows_hold(w, site) != DBM_OK) return dbm__statement_failed(w, sql, site);
        rc = dbm__cache_take(&w->slot.connection, sql, false, dbm__work_deadline(w), site, &entry);
        if (rc != DBM_OK && dbm__may_replace(w, rc, !w->in_transaction, false)) {
            if (dbm__work_renew(w) != DBM_OK) return dbm__work_fail(w, site);
            rc = dbm__cache_take(&w->slot.connection, sql, false, dbm__work_deadline(w), site, &entry);
        }
        if (rc != DBM_OK) return dbm__statement_failed(w, sql, site);
    }
    if (w->spare_statements != NULL && (w->spare_statements->ended_in != w->base.gen || w->spare_statements_count >= DBM__SPARE)) {
        st = w->spare_statements;
        w->spare_statements = st->next;
        w->spare_statements_count--;
    } else {
        st = (dbm_statement *)dbm__alloc_zero(w->db->host, sizeof *st);
    }
    if (st == NULL) {
        dbm__cache_give(&w->slot.connection, entry);
        dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
        return dbm__work_fail(w, site);
    }
    st->work = w;
    st->gen = w->base.gen;
    st->entry = entry;
    st->site = site;
    st->next = w->statements;
    w->statements = st;
    *out = st;
    return DBM_OK;
}

DBM__DEF void dbm_stmt_end(dbm_statement *st) {
    dbm__work *w;
    dbm_statement **p;
    if (st == NULL || st->gen == 0) return;
    w = st->work;
    dbm__fork_look();
    if (DBM__UNLIKELY(dbm__load(&w->slot.pool->fork) != dbm__fork_epoch() && w->slot.connection.open)) {
        dbm__pool_after_fork(w->slot.pool);
        return;
    }
    for (p = &w->statements; *p != NULL && *p != st; p = &(*p)->next) {}
    if (*p == st) *p = st->next;
    st->next = NULL;
    dbm__statements_spare(w, st);
}

DBM__FN DBM__NOINLINE void dbm__statements_end(dbm__work *w) {
    dbm_statement *first = w->statements;
    w->statements = NULL;
    if (first != NULL) dbm__statements_spare(w, first);
}

DBM__FN dbm_status dbm__statement_ready(dbm_statement *st, const char *site) {
    dbm__work *w;
    if (st == NULL) return dbm__fail_null("a call on a prepared statement that is NULL; dbm_prepare gives one", site);
    w = st->work;
    dbm__fork_look();
    if (DBM__UNLIKELY(st->gen == 0 || st->gen != w->base.gen || dbm__load(&w->slot.pool->fork) != dbm__fork_epoch())) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w != NULL ? w->db->name : NULL, site,
                         "the prepared statement's session has ended, or dbm_stmt_end was called: prepare it again");
    }
    return DBM__UNLIKELY(dbm__load(&w->trouble) != 0) ? dbm__work_trouble(w, site) : DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__stmt_exec_given(const char *site, dbm_statement *st, bool send, dbm__given given) {
    dbm_value values[DBM__MAX_VALUES];
    bool named;
    int count;
    dbm_status rc = dbm__statement_ready(st, site);
    if (rc != DBM_OK) return rc;
    rc = dbm__given_read(st->work, &given, values, &count, &named, site);
    if (rc == DBM_OK) rc = dbm__work_exec(st->work, NULL, st, values, count, named, send, site);
    return send ? DBM_OK : rc; /* it sticks */
}

DBM__DEF DBM__HOT dbm_status dbm__stmt_exec(const char *site, dbm_statement *st, const char *codes, ...) {
    va_list ap;
    dbm_status rc = dbm__statement_ready(st, site);
    if (rc != DBM_OK) return rc;
    if (DBM__LIKELY(dbm__exec_lane(st->work) && st->entry != NULL && st->entry->uses == 1)) {
        dbm_value values[DBM__LANE_VALUES];
        int count;
        va_start(ap, codes);
        count = dbm__values_short(values, DBM__LANE_VALUES, true, codes, &ap);
        va_end(ap);
        if (DBM__LIKELY(count == st->entry->quick)) return dbm__exec_quick(st->work, st->entry, 1, values, count, site);
    }
    va_start(ap, codes);
    rc = dbm__stmt_exec_given(site, st, false, dbm__given_list(codes, &ap));
    va_end(ap);
    return rc;
}

DBM__DEF dbm_status dbm__stmt_send(const char *site, dbm_statement *st, const char *codes, ...) DBM__PASS_ON(dbm__stmt_exec_given(site, st, true, given))

DBM__DEF dbm_status dbm__stmt_execv(const char *site, dbm_statement *st, const dbm_value *values, int count) {
    return dbm__stmt_exec_given(site, st, false, dbm__given_array(values, count));
}

DBM__DEF dbm_status dbm__stmt_sendv(const char *site, dbm_statement *st, const dbm_value *values, int count) {
    return dbm__stmt_exec_given(site, st, true, dbm__given_array(values, count));
}

/* ---- native, identifiers, and what data/ needs ------------------------------------------------------------------------------------------ */

DBM__DEF void *dbm_native(dbm_session *s, const char *type) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm_op op;
    if (w == NULL) { dbm__session_bad(s, "dbm_native"); return NULL; }
    if (dbm__load(&w->trouble) != 0 && dbm__work_trouble(w, w->top->site) != DBM_OK) return NULL;
    if (type == NULL || !dbm__same_word(type, w->db->adapter->type)) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_STATEMENT, w->db->name, w->top->site, "dbm_native: the database is of type %q, not %q", w->db->adapter->type,
                  type != NULL ? type : "");
        return NULL;
    }
    if (dbm__work_settle(w) != DBM_OK) return NULL;
    if (dbm__rows_hold(w, w->top->site) != DBM_OK || dbm__work_start(w, true, w->top->site) != DBM_OK) {
        dbm__work_fail(w, w->top->site);
        return NULL;
    }
    dbm__op_init(&op, DBM_OP_NATIVE, dbm__work_deadline(w));
    if (dbm__op_run(&w->slot.connection, &op) != DBM_OK) {
        dbm__work_fail(w, w->top->site);
        return NULL;
    }
    w->top->ran = w->top->wrote = w->wrote = true;
    dbm__work_changed(w);
    return op.native;
}

DBM__DEF dbm_status dbm_ident(dbm_session *s, char *buf, size_t n, const char *name) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm_status st;
    if (w == NULL) return dbm__session_bad(s, "dbm_ident");
    st = dbm__sql_ident(buf, n, name, w->db->adapter->lexer & DBM_LEX_BACKSLASH ? '`' : '"');
    return st == DBM_OK ? st : dbm__work_fail(w, w->top->site);
}

DBM__FN dbm_database *dbm__on_database(dbm_session *on) {
    dbm__work *w;
    if (on == NULL) return NULL;
    if (on->step == DBM__ON_DATABASE) return (dbm_database *)on->slot;
    w = dbm__work_of(on);
    return w != NULL ? w->db : NULL;
}

DBM__FN dbm__host *dbm__on_host(dbm_session *on) {
    dbm_database *db = dbm__on_database(on);
    return db != NULL ? db->host : NULL;
}

DBM__FN dbm_status dbm__on_fail(dbm_session *on, dbm_status status, const char *site, const char *format, ...) {
    char text[900];
    dbm_database *db = dbm__on_database(on);
    dbm__work *w = db == NULL ? NULL : on->step == DBM__ON_DATABASE ? dbm__open_block(db) : dbm__work_of(on);
    DBM__FORMAT(text, sizeof text, format);
    dbm__fail(status, DBM_STAGE_STATEMENT, db != NULL ? db->name : NULL, site, "%s", text);
    return w != NULL ? dbm__work_fail(w, site) : status;
}

DBM__FN dbm_status dbm__on_group(dbm_session *on, const char *site, dbm_status (*fn)(dbm_session *s, void *ud), void *ud) {
    dbm_session own;
    dbm__work *w;
    dbm_status st;
    dbm_error_info kept;
    if (on == NULL || on->slot == NULL) return dbm__session_bad(on, site);
    if (on->step != DBM__ON_DATABASE) {
        w = dbm__work_of(on);
        if (w == NULL) return dbm__session_bad(on, site);
    } else if ((w = dbm__open_block((dbm_database *)on->slot)) != NULL) {
        own.slot = w;
        own.gen = w->gen;
        own.step = 0;
    }
    if (w != NULL) {
        if (dbm__load(&w->trouble) != 0 && (st = dbm__work_trouble(w, site)) != DBM_OK) return st;
        if ((st = dbm__work_settle(w)) != DBM_OK) return st; /* a failure of it is not the group's */
        return fn(on->step != DBM__ON_DATABASE ? on : &own, ud);
    }
    st = dbm__session_open((dbm_database *)on->slot, NULL, NULL, DBM__KIND_HAND, site, &own);
    if (st != DBM_OK) return st;
    st = fn(&own, ud);
    if (st == DBM_OK) st = dbm_commit(&own);
    kept = dbm__self()->last;
    dbm__session_close(&own);
    if (st != DBM_OK) dbm__self()->last = kept;
    return st;
}
