/* A session's calls on an adapter of start and step, as continuations: nothing in here waits.
 * May call: api/, base/, adapter/, pool/, sql/, session/, async.h, side.h.
 * Must not know: tasks, workers, how a call came to be.
 *
 * Each case of dbm__flow() is what session/ does between two operations, in the same words; `after` is where a part that several ways share goes on. */
#include "side.h"
#if DBM_HAS_ASYNC

enum {
    DBM__AT_START = 0, DBM__AT_STATEMENT, DBM__AT_ONE_ENDED, DBM__AT_TAKE, DBM__AT_PREPARED, DBM__AT_ENTRY, DBM__AT_BEGIN, DBM__AT_BEGUN, DBM__AT_EXECUTE,
    DBM__AT_EXECUTED, DBM__AT_FAILED, DBM__AT_FAILED_ENDED, DBM__AT_REST, DBM__AT_RESTED, DBM__AT_REST_ENDED, DBM__AT_ROW, DBM__AT_FETCHED, DBM__AT_FETCH_ENDED,
    DBM__AT_ROW_GOT, DBM__AT_COMMAND, DBM__AT_COMMANDED, DBM__AT_HOLD, DBM__AT_HELD, DBM__AT_END_ROWS, DBM__AT_ROWS_ENDED, DBM__AT_ROWS_CLOSED,
    DBM__AT_COMMIT, DBM__AT_COMMITTED, DBM__AT_COMMIT_OVER, DBM__AT_UNDO, DBM__AT_UNDONE, DBM__AT_ROLLED_BACK, DBM__AT_RENEW, DBM__AT_RENEWED, DBM__AT_BULK,
    DBM__AT_BULK_BEGUN, DBM__AT_BULK_ON, DBM__AT_BULK_SENT, DBM__AT_BULK_ENDED, DBM__AT_BULK_UNDO, DBM__AT_BULK_DROPPED, DBM__AT_BULK_UNDONE, DBM__AT_OVER,
    DBM__AT_PUT, DBM__AT_PUT_READY, DBM__AT_PUT_FOUND, DBM__AT_PUT_BEGUN, DBM__AT_PUT_DONE, DBM__AT_RECEIVE, DBM__AT_RECEIVED
};

/* ---- one operation ------------------------------------------------------------------------------------------------------- */

/* Answers of a batch on a carrier come one by one, and each would cost a switch to this thread and back. One carrier of a line that has heard something leads: it is
 * watched, and when it is told anything the others look what they have. What has come is looked at within DBM__GATHER_US, and then the one whose time it was leads. */
static void dbm__flow_watch(dbm__async *a) {
    int want = (int)a->running.want & DBM_STEP_BOTH;
    int64_t until_us = dbm__running_until(&a->running);
    dbm__line *h = a->op->kind == DBM_OP_RECEIVE && want == DBM_STEP_READ && !a->unheard && a->sent_count > 1 ? a->line : NULL;
    dbm__store(&a->side.waits, 1);
    if (h != NULL && h->lead == NULL) h->lead = a;
    if (h == NULL || h->lead == a) a->gathers_us = 0;
    else if (a->gathers_us == 0) a->gathers_us = dbm__now(a->work->db->host) + DBM__GATHER_US;
    if (a->gathers_us != 0 && a->gathers_us < until_us) until_us = a->gathers_us;
    dbm__side_watch(a, a->op->fd, a->gathers_us != 0 ? 0 : want, until_us);
}

/* True: it has ended, with a->rc. */
static bool dbm__flow_on(dbm__async *a) {
    dbm_connection *c = &a->work->slot.connection;
    if (a->running.want == DBM_STEP_DONE) {
        dbm__store(&a->side.waits, 0);
        a->rc = dbm__op_end(c, a->op, a->op->status);
        return true;
    }
    if (c->reported) a->reported = dbm__self()->last; /* other calls fail meanwhile */
    dbm__flow_watch(a);
    return false;
}

DBM__FN bool dbm__flow_heard(dbm__async *a, dbm_status heard) {
    if (a->work->slot.connection.reported) dbm__self()->last = a->reported;
    dbm__running_heard(&a->running, heard);
    return dbm__flow_on(a);
}

/* op NULL: there is nothing to run before what is next. */
static bool dbm__flow_run(dbm__async *a, dbm_op *op, int next) {
    dbm_connection *c = &a->work->slot.connection;
    const dbm_adapter *adapter = c->db->adapter;
    dbm_status st = DBM_E_UNSUPPORTED;
    a->op = op;
    a->at = next;
    if (op == NULL) {
        a->rc = DBM_OK;
        return true;
    }
    c->reported = op->queued = op->of_pipeline = false;
    op->answered = 0;
    op->sent_affected = op->sent_last_id = -1;
    if (op->kind == DBM_OP_FETCH && adapter->fetch != NULL) st = adapter->fetch(c, op);
    else if (op->kind == DBM_OP_FINISH && adapter->execute != NULL) st = adapter->execute(c, op);
    if (st != DBM_E_UNSUPPORTED) {
        a->rc = dbm__op_end(c, op, st);
        return true;
    }
    dbm__running_start(&a->running, c, op);
    if (a->side.apart && op->kind == DBM_OP_RECEIVE) a->running.cancellable = false; /* it might be somebody else's that runs */
    return dbm__flow_on(a);
}

static dbm_op *dbm__flow_op(dbm__async *a, dbm_op_kind kind) {
    dbm__op_init(&a->own, kind, dbm__work_deadline(a->work));
    return &a->own;
}

/* Until when somebody waits who was asked to end: a silent server must not hold up a task for ever. */
static int64_t dbm__flow_grace(const dbm__async *a) { return dbm__now(a->work->db->host) + a->work->db->shared->grace_us; }

DBM__FN void dbm__flow_cancel(dbm__async *a) {
    if (dbm__load(&a->side.waits) == 0) return;
    if (a->running.limit_us > dbm__flow_grace(a)) a->running.limit_us = dbm__flow_grace(a); /* of a COMMIT: then it is in doubt */
    dbm__loop_unwatch(a->loop, &a->watch);
    dbm__flow_watch(a); /* dbm__running_until() sees that it is cancelled */
}

/* Nobody waits any more for the call whose answer is waited for, of those on a database that share the connection: the server is told to stop it. What it stops in its
 * place, when it hears of that late, is one of the same batch, all of which stand alone: that one is not done, and goes again. */
DBM__FN void dbm__batch_stop(dbm__async *a) {
    if (dbm__load(&a->side.waits) == 0 || a->op->kind != DBM_OP_RECEIVE || a->op->stop || !(a->db->adapter->flags & DBM_ADAPTER_STOPS)) return;
    a->stops = a->op->stop = true;
    a->op->wake_us = 0;
    dbm__loop_unwatch(a->loop, &a->watch);
    dbm__flow_watch(a);
}

/* ---- parts ----------------------------------------------------------------------------------------------------------------- */

static bool dbm__flow_end(dbm__async *a, dbm_status st) {
    a->at = DBM__AT_START;
    a->rc = st;
    if (a->bulk != NULL) a->bulk->stepped = false;
    a->bulk = NULL;
    return true;
}

static dbm_op *dbm__flow_finish(dbm_row *row) {
    row->op.kind = DBM_OP_FINISH;
    return &row->op;
}

static void dbm__flow_finished(dbm__work *w, dbm_row *row) {
    row->op.result = NULL;
    row->ended = true;
    w->open_rows--;
}

/* The next row that has a result, or (to be held) needs it no more. */
static dbm_row *dbm__flow_next_row(dbm__async *a, bool hold) {
    dbm__work *w = a->work;
    dbm_rows *rows = hold && !w->db->one_result ? w->rows : &w->one;
    a->rc = DBM_OK;
    while (rows != NULL) {
        if (rows->row.open && rows->row.op.result != NULL) {
            dbm_status st = hold ? dbm__row_holding(w, &rows->row, a->first->site) : DBM_OK;
            if (st == DBM_OK) return &rows->row;
            if (st != DBM_DONE) {
                a->rc = st;
                return NULL;
            }
        }
        rows = rows == &w->one ? w->rows : rows->next;
    }
    return NULL;
}

/* The statement's own place: of its rows, or for the call alone. */
static dbm_op *dbm__flow_statement_op(dbm__async *a) { return a->rows != NULL ? &a->rows->row.op : &a->own; }

/* A bulk begins as a statement does: prepared where it must be, and behind BEGIN. */
static dbm_status dbm__flow_bulk(dbm__async *a) {
    dbm__request *r = a->first;
    const dbm_bulk_options *options = (const dbm_bulk_options *)(const void *)r->values[0].as.text.data;
    dbm_status st = dbm__bulk_make(a->work, &a->bulk, r->values[1].as.text.data, r->values[2].as.text.data, options, r->site);
    if (st != DBM_OK) return st;
    a->bulk->stepped = true;
    r->bulk = a->bulk;
    r->sql = a->bulk->plan.sql;
    r->hint = dbm__cache_hint(r->sql);
    r->count = a->bulk->plan.column_count;
    return DBM_OK;
}

/* Where a call goes on that has its place: whether it is prepared first. */
static int dbm__flow_way(const dbm__async *a) {
    dbm__async_kind kind = a->first->kind;
    bool bulk = kind == DBM__ASYNC_BULK_BEGIN && !(a->work->db->adapter->flags & DBM_ADAPTER_BULK_PREPARED);
    return kind == DBM__ASYNC_COMMAND || kind == DBM__ASYNC_BEGIN || bulk ? DBM__AT_BEGIN : DBM__AT_TAKE;
}

/* Its own savepoint, if it has one. */
static dbm_op *dbm__flow_point(dbm__async *a, dbm_op_kind kind) {
    dbm_op *op = a->bulk->own_point ? dbm__flow_op(a, kind) : NULL;
    if (op != NULL) op->savepoint = a->bulk->point;
    return op;
}

/* What dbm__work_query() does first. */
static dbm_status dbm__flow_place(dbm__async *a) {
    const dbm__request *r = a->first;
    dbm__work *w = a->work;
    DBM_ASSERT(w != NULL);
    if (r->kind == DBM__ASYNC_BULK_BEGIN) return dbm__flow_bulk(a);
    a->rows = r->kind == DBM__ASYNC_EXEC || r->kind == DBM__ASYNC_QUERY ? NULL : &w->one;
    if (r->kind == DBM__ASYNC_QUERY && (a->rows = dbm__rows_new(w)) == NULL) {
        dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, r->site);
        return dbm__work_fail(w, r->site);
    }
    if (a->rows != NULL) {
        dbm__rows_reset(w, a->rows, r->site);
        a->rows->row.op.result = NULL;
    }
    if (w->timed && dbm__now(w->db->host) >= w->top->deadline_us) {
        dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, w->db->name, r->site, "the session's deadline (timeout_ms) passed before the %s was sent",
                  r->kind == DBM__ASYNC_COMMAND ? "command" : "statement");
        return dbm__work_fail(w, r->site);
    }
    if (r->kind == DBM__ASYNC_COMMAND && r->writes && w->read_only) {
        dbm__fail(DBM_E_READ_ONLY, DBM_STAGE_STATEMENT, w->db->name, r->site, "the session is .read_only and the command writes");
        return dbm__work_fail(w, r->site);
    }
    return DBM_OK;
}

/* The end of a statement that failed: its place goes back. */
static bool dbm__flow_over(dbm__async *a, dbm_status st) {
    dbm_rows *rows = a->rows;
    if (rows != NULL) {
        rows->row.entry = NULL;
        rows->row.op.result = NULL;
        if (rows != &a->work->one) dbm__rows_spare(a->work, rows);
    }
    return dbm__flow_end(a, st);
}

/* The entry is found or made; false: it is to be prepared. */
static bool dbm__flow_find(dbm__async *a) {
    const dbm__request *r = a->first;
    dbm_connection *c = &a->work->slot.connection;
    dbm__entry *e = c->cache->hints[r->hint];
    if (DBM__LIKELY(e != NULL && dbm__cache_serves(e, r->named) && r->sql != NULL && strcmp(e->text, r->sql) == 0)) {
        e->uses++;
        dbm__cache_hit(c, e);
        a->entry = e;
        a->rc = DBM_OK;
        return true;
    }
    a->entry = NULL;
    a->rc = dbm__cache_search(c, r->sql, r->hint, r->named, r->site, &e);
    if (a->rc == DBM_OK) a->entry = e;
    return a->rc != DBM_OK || e->uses != 0;
}

/* What is refused before anything is sent. */
static dbm_status dbm__flow_refuse(dbm__async *a) {
    const dbm__request *r = a->first;
    dbm__work *w = a->work;
    const dbm__entry *e = a->entry;
    DBM_ASSERT(e != NULL);
    if (e->verb >= DBM__VERB_STATE || w->read_only) {
        dbm_status st = dbm__refuse(w, e, r->site);
        if (st != DBM_OK) return st;
    }
    return !r->named && e->prepared.parameters != r->count && e->prepared.parameters >= 0 ? dbm__values_wrong(w, e, r->count, r->site) : DBM_OK;
}

/* The values in the order of the statement, where they stay until it has ended. */
static dbm_status dbm__flow_values(dbm__async *a, const dbm_value **out, int *count) {
    const dbm__request *r = a->first;
    dbm__work *w = a->work;
    const dbm__entry *e = a->entry;
    dbm_value ordered[DBM__MAX_VALUES];
    const dbm_value *values = r->values;
    *out = values;
    *count = r->count;
    if (r->named) {
        dbm_status st;
        DBM_ASSERT(e != NULL);
        st = dbm__values_order(e, r->values, r->count, ordered, w->db->name, r->site);
        if (st != DBM_OK) return st;
        values = ordered;
        if (e->prepared.parameters >= 0) *count = e->prepared.parameters;
    }
    if (*count == 0 || (a->rows == NULL && !r->named)) return DBM_OK;
    return dbm__keep_values(w, a->rows != NULL ? a->rows : &w->one, values, *count, out); /* nothing reads from `one` now */
}

static dbm_status dbm__flow_execute(dbm__async *a) {
    const dbm__request *r = a->first;
    dbm__work *w = a->work;
    dbm_op *op = dbm__flow_statement_op(a);
    const dbm_value *values = r->values;
    int count = r->count;
    if (r->kind != DBM__ASYNC_COMMAND) {
        dbm_status st = dbm__flow_values(a, &values, &count);
        if (st != DBM_OK) return st;
        if (w->echo) dbm__echo(w, a->entry->text, values, count, r->site);
    }
    dbm__store(&w->slot.statements, w->slot.statements + 1u);
    w->top->ran = true;
    dbm__op_init(op, r->kind != DBM__ASYNC_COMMAND ? DBM_OP_EXECUTE : DBM_OP_COMMAND, dbm__work_deadline(w));
    op->values = values;
    op->value_count = count;
    op->last_id = -1;
    op->row_buffer = w->db->settings->config.row_buffer;
    if (r->kind == DBM__ASYNC_COMMAND) {
        op->last_id = 0;
        op->write = r->writes;
    } else {
        op->sql = a->entry->prepared.sql;
        op->sql_size = a->entry->prepared.sql_size;
        op->prepared = &a->entry->prepared;
        op->one_row = r->kind == DBM__ASYNC_ONE;
    }
    return DBM_OK;
}

/* A statement has run: what that means, and where it goes on. */
static dbm_status dbm__flow_executed(dbm__async *a) {
    dbm__request *r = a->first;
    dbm__work *w = a->work;
    dbm_op *op = dbm__flow_statement_op(a);
    dbm_rows *rows = a->rows;
    dbm_status st = a->rc == DBM_DONE ? DBM_OK : a->rc;
    if (st == DBM_OK && op->ended) st = dbm__work_ended(w, r->site);
    if (st != DBM_OK) return st;
    if (a->entry->prepared.writes) dbm__work_wrote(w, a->entry, op);
    if (op->result == NULL) dbm__cache_give(&w->slot.connection, a->entry);
    if (rows != NULL) {
        rows->row.entry = op->result != NULL ? a->entry : NULL;
        dbm__rows_opened(w, rows);
        r->rows = rows;
    }
    return DBM_OK;
}

static dbm_op *dbm__flow_begin_op(dbm__async *a) {
    dbm__work *w = a->work;
    dbm_op *op = dbm__flow_op(a, DBM_OP_BEGIN);
    op->isolation = w->isolation;
    op->read_only = w->read_only;
    op->write = w->write || a->bulk != NULL || (a->first->kind == DBM__ASYNC_COMMAND ? a->first->writes : a->entry != NULL && a->entry->prepared.writes);
    return op;
}

static void dbm__flow_begun(dbm__work *w) {
    w->in_transaction = true;
    w->wrote = false;
    w->points_sent = 0;
}

static dbm_status dbm__flow_first(dbm__async *a) {
    const dbm__request *r = a->first;
    dbm__work *w = a->work;
    if (w->points != 0) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, r->site, "dbm_async_... inside DBM_SAVEPOINT: leave that block first");
    return dbm__load(&w->trouble) != 0 ? dbm__work_trouble(w, r->site) : DBM_OK;
}

/* ---- the machine ------------------------------------------------------------------------------------------------------------- */

#define DBM__RUN(op, next) do { if (!dbm__flow_run(a, op, next)) return false; } while (0)

DBM__FN bool dbm__flow(dbm__async *a) {
    dbm__work *w = a->work;
    dbm_connection *c = &w->slot.connection;
    for (;;) {
        dbm__request *r = a->first;
        dbm_row *row;
        dbm_op *op;
        switch (a->at) {
        case DBM__AT_START:
            a->replaced = false;
            a->entry = NULL;
            a->rows = NULL;
            a->was_clean = !w->in_transaction;
            a->after = DBM__AT_OVER;
            if (w->bulk != NULL && (r->kind >= DBM__ASYNC_ROLLBACK || (r->kind == DBM__ASYNC_COMMIT && w->top->sticky != DBM_OK))) {
                if (r->kind == DBM__ASYNC_END && r->writes && w->top->sticky == DBM_OK) dbm__bulk_forgotten(w);
                a->bulk = w->bulk;
                a->at = DBM__AT_BULK_UNDO;
                break;
            }
            if (r->kind >= DBM__ASYNC_COMMIT && (w->sent_count != 0 || w->commands != 0)) (void)dbm__work_wait(w);
            switch (r->kind) {
            case DBM__ASYNC_COMMIT:
                if (w->top->sticky == DBM_OK && (a->rc = dbm__flow_first(a)) != DBM_OK) return dbm__flow_end(a, a->rc);
                if ((a->rc = dbm__end_allowed(w, "dbm_async_commit")) != DBM_OK) return dbm__flow_end(a, a->rc);
                w->top->asked = true;
                a->at = DBM__AT_END_ROWS;
                a->after = DBM__AT_COMMIT;
                break;
            case DBM__ASYNC_ROLLBACK:
                if ((a->rc = dbm__end_allowed(w, "dbm_async_rollback")) != DBM_OK) return dbm__flow_end(a, a->rc);
                a->at = DBM__AT_END_ROWS;
                a->after = DBM__AT_UNDO;
                break;
            case DBM__ASYNC_END:
                if (w->top->sticky == DBM_OK && dbm__load(&w->cancelled) != 0) (void)dbm__work_trouble(w, w->top->site);
                a->at = DBM__AT_END_ROWS;
                a->after = r->writes ? DBM__AT_COMMIT : DBM__AT_UNDO;
                break;
            case DBM__ASYNC_BEGIN:
                a->at = DBM__AT_BEGIN;
                a->rc = DBM_OK;
                break;
            case DBM__ASYNC_NEXT:
                a->rows = r->rows;
                if (!a->rows->row.open) {
                    return dbm__flow_end(a, dbm__fail(DBM_E_MISUSE, DBM_STAGE_ROW, w->db->name, r->site, "dbm_async_next: these rows have ended"));
                }
                if ((a->rc = dbm__flow_first(a)) != DBM_OK) return dbm__flow_end(a, a->rc);
                a->at = DBM__AT_ROW;
                break;
            case DBM__ASYNC_ROWS_END:
                row = &r->rows->row;
                a->at = DBM__AT_ROWS_CLOSED;
                if (row->open && row->op.result != NULL) DBM__RUN(dbm__flow_finish(row), DBM__AT_ROWS_CLOSED);
                break;
            case DBM__ASYNC_BULK_ROWS: case DBM__ASYNC_BULK_END: case DBM__ASYNC_BULK_ABANDON:
                a->bulk = r->bulk;
                a->bulk->stepped = true;
                a->at = r->kind == DBM__ASYNC_BULK_ABANDON && w->bulk == r->bulk ? DBM__AT_BULK_UNDO : DBM__AT_BULK_ON;
                if (r->kind == DBM__ASYNC_BULK_ROWS) a->rc = dbm__bulk_feed(r);
                else if (r->kind == DBM__ASYNC_BULK_END) a->rc = dbm__bulk_ending(r->bulk);
                else if (a->at == DBM__AT_BULK_ON) a->rc = r->bulk->error.status != DBM_OK ? dbm__bulk_close(r->bulk, DBM_OK) : dbm__bulk_bad(r->bulk);
                break;
            default: /* a statement */
                if ((a->rc = dbm__flow_first(a)) != DBM_OK) return dbm__flow_end(a, a->rc);
                a->at = DBM__AT_STATEMENT;
                break;
            }
            break;

        case DBM__AT_STATEMENT:
            a->at = DBM__AT_ONE_ENDED;
            if (w->one.row.open && w->one.row.op.result != NULL) DBM__RUN(dbm__flow_finish(&w->one.row), DBM__AT_ONE_ENDED);
            break;
        case DBM__AT_ONE_ENDED:
            if (w->one.row.open) {
                if (w->one.row.op.result != NULL) dbm__flow_finished(w, &w->one.row);
                dbm__rows_close(&w->one);
                if (c->broken && (a->rc = dbm__flow_first(a)) != DBM_OK) return dbm__flow_end(a, a->rc); /* cancelled meanwhile */
            }
            if ((a->rc = dbm__flow_place(a)) != DBM_OK) return dbm__flow_over(a, a->rc);
            dbm__lent_end(w);
            a->at = a->after = dbm__flow_way(a);
            if (a->renews) a->at = DBM__AT_RENEW;
            else if (w->open_rows != 0 && (w->db->one_result || r->kind == DBM__ASYNC_COMMAND || a->bulk != NULL)) a->at = DBM__AT_HOLD; /* preparing may already talk to the server */
            break;

        case DBM__AT_HOLD:
            row = dbm__flow_next_row(a, true);
            if (row == NULL) {
                a->at = a->after;
                break;
            }
            a->holding = row;
            DBM__RUN(&row->op, DBM__AT_HELD);
            break;
        case DBM__AT_HELD:
            a->rc = dbm__row_held(w, a->holding, a->rc, r->site);
            a->at = a->rc == DBM_OK ? DBM__AT_HOLD : a->bulk != NULL ? DBM__AT_FAILED : a->after;
            break;

        case DBM__AT_TAKE:
            if (a->rc != DBM_OK) return dbm__flow_over(a, dbm__statement_failed(w, r->sql, r->site));
            a->at = DBM__AT_ENTRY;
            if (!dbm__flow_find(a)) {
                dbm__cache_prepare(a->entry, &a->own, dbm__work_deadline(w));
                DBM__RUN(&a->own, DBM__AT_PREPARED);
            }
            break;
        case DBM__AT_PREPARED:
            a->rc = dbm__cache_prepared(c, a->entry, a->rc, r->hint, r->site);
            if (a->rc != DBM_OK) a->entry = NULL;
            a->at = DBM__AT_ENTRY;
            break;
        case DBM__AT_ENTRY:
            if (a->rc != DBM_OK) {
                a->at = a->bulk != NULL ? DBM__AT_FAILED : DBM__AT_RENEW;
                if (a->bulk != NULL) break;
                if (a->replaced || !dbm__may_replace(w, a->rc, a->was_clean, false)) return dbm__flow_over(a, dbm__statement_failed(w, r->sql, r->site));
                a->after = DBM__AT_TAKE;
                break;
            }
            a->rc = dbm__flow_refuse(a);
            a->at = a->after = DBM__AT_BEGIN;
            if (a->rc == DBM_OK && a->entry->prepared.writes && w->open_rows != 0) a->at = DBM__AT_HOLD;
            break;

        case DBM__AT_BEGIN:
            a->at = a->rc == DBM_OK ? DBM__AT_EXECUTE : DBM__AT_FAILED;
            if (a->rc == DBM_OK && !w->in_transaction && !w->no_transaction) DBM__RUN(dbm__flow_begin_op(a), DBM__AT_BEGUN);
            break;
        case DBM__AT_BEGUN:
            a->at = DBM__AT_FAILED;
            if (a->rc != DBM_OK) break;
            dbm__flow_begun(w);
            a->at = DBM__AT_EXECUTE;
            break;
        case DBM__AT_EXECUTE:
            if (r->kind == DBM__ASYNC_BEGIN) return dbm__flow_end(a, DBM_OK);
            if (a->bulk != NULL) {
                a->bulk->entry = a->entry;
                DBM__RUN(dbm__flow_point(a, DBM_OP_SAVEPOINT), DBM__AT_BULK);
                break;
            }
            a->rc = dbm__flow_execute(a);
            a->at = DBM__AT_FAILED;
            if (a->rc == DBM_OK) DBM__RUN(dbm__flow_statement_op(a), r->kind == DBM__ASYNC_COMMAND ? DBM__AT_COMMANDED : DBM__AT_EXECUTED);
            break;
        case DBM__AT_EXECUTED:
            a->rc = dbm__flow_executed(a);
            a->at = a->rc != DBM_OK ? DBM__AT_FAILED : r->kind == DBM__ASYNC_EXEC ? DBM__AT_REST : r->kind == DBM__ASYNC_ONE ? DBM__AT_ROW : DBM__AT_OVER;
            break;

        case DBM__AT_FAILED: { /* before it was run, or by it */
            bool writes = r->kind == DBM__ASYNC_COMMAND ? r->writes : a->bulk == NULL && a->entry != NULL && a->entry->prepared.writes;
            if (!a->replaced && dbm__may_replace(w, a->rc, a->was_clean, writes)) {
                if (a->entry != NULL) dbm__cache_give(c, a->entry);
                a->entry = NULL;
                a->at = DBM__AT_RENEW;
                a->after = dbm__flow_way(a);
                break;
            }
            if (a->bulk != NULL) {
                a->bulk->entry = a->entry;
                (void)dbm__bulk_row_failed(a->bulk, -1, a->rc);
                a->at = DBM__AT_BULK_UNDO;
                break;
            }
            if (r->kind == DBM__ASYNC_BEGIN) return dbm__flow_end(a, dbm__work_fail(w, r->site));
            op = dbm__flow_statement_op(a);
            a->failed = a->rc;
            a->kept = dbm__self()->last;
            a->at = DBM__AT_FAILED_ENDED;
            if (op->result != NULL && (op->kind == DBM_OP_EXECUTE || op->kind == DBM_OP_COMMAND)) {
                op->kind = DBM_OP_FINISH;
                DBM__RUN(op, DBM__AT_FAILED_ENDED);
            }
            break;
        }
        case DBM__AT_FAILED_ENDED:
            dbm__self()->last = a->kept;
            if (r->kind == DBM__ASYNC_COMMAND) return dbm__flow_over(a, dbm__command_over(w, dbm__flow_statement_op(a), a->failed, r->writes, r->site));
            return dbm__flow_over(a, dbm__run_over(w, a->entry, a->failed, r->sql, r->site));

        case DBM__AT_REST: /* rows that nobody wants */
            op = dbm__flow_statement_op(a);
            if (op->result == NULL) return dbm__flow_end(a, DBM_OK);
            op->row = false;
            op->kind = DBM_OP_FETCH;
            DBM__RUN(op, DBM__AT_RESTED);
            break;
        case DBM__AT_RESTED:
            a->at = DBM__AT_REST;
            if (a->rc == DBM_OK) break;
            a->failed = a->rc;
            if (a->rc != DBM_DONE) a->kept = dbm__self()->last;
            op = dbm__flow_statement_op(a);
            op->kind = DBM_OP_FINISH;
            DBM__RUN(op, DBM__AT_REST_ENDED);
            break;
        case DBM__AT_REST_ENDED:
            if (a->failed != DBM_DONE) dbm__self()->last = a->kept;
            return dbm__flow_end(a, dbm__exec_over(w, a->entry, dbm__flow_statement_op(a), a->failed, r->site));

        case DBM__AT_ROW:
            row = &a->rows->row;
            a->at = DBM__AT_ROW_GOT;
            if (dbm__rows_at_hand(a->rows, &a->rc)) break;
            row->op.kind = DBM_OP_FETCH;
            if (w->timed) row->op.deadline_us = dbm__work_deadline(w);
            DBM__RUN(&row->op, DBM__AT_FETCHED);
            break;
        case DBM__AT_FETCHED:
            row = &a->rows->row;
            a->failed = a->rc;
            a->at = DBM__AT_FETCH_ENDED;
            if (a->rc == DBM_OK || row->op.result == NULL) break;
            if (a->rc != DBM_DONE) a->kept = dbm__self()->last;
            DBM__RUN(dbm__flow_finish(row), DBM__AT_FETCH_ENDED);
            break;
        case DBM__AT_FETCH_ENDED:
            if (a->failed != DBM_OK && a->rows->row.op.result != NULL) dbm__flow_finished(w, &a->rows->row);
            if (a->failed != DBM_OK && a->failed != DBM_DONE) dbm__self()->last = a->kept;
            a->rc = dbm__rows_fetched(a->rows, a->failed);
            a->at = DBM__AT_ROW_GOT;
            break;
        case DBM__AT_ROW_GOT:
            if (a->rc == DBM_OK) r->row = &a->rows->row;
            if (a->rc == DBM_OK || r->kind == DBM__ASYNC_NEXT) return dbm__flow_end(a, a->rc == DBM_DONE ? DBM_OK : a->rc);
            dbm__rows_close(a->rows);
            if (a->rc == DBM_DONE && r->kind == DBM__ASYNC_COMMAND) a->rc = DBM_OK;
            else if (a->rc == DBM_DONE) a->rc = dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, w->db->name, r->site, "no row matched");
            return dbm__flow_end(a, a->rc);

        case DBM__AT_COMMANDED:
            op = dbm__flow_statement_op(a);
            if (a->rc == DBM_DONE) a->rc = DBM_OK;
            if (a->rc == DBM_OK && op->ended) a->rc = dbm__work_ended(w, r->site);
            if (c->broken && a->rc != DBM_OK) w->commands = 0;
            a->at = DBM__AT_FAILED;
            r->writes = op->write;
            if (a->rc != DBM_OK) break;
            (void)dbm__command_over(w, op, DBM_OK, op->write, r->site);
            dbm__rows_opened(w, a->rows);
            a->at = DBM__AT_ROW;
            break;

        case DBM__AT_END_ROWS:
            row = dbm__flow_next_row(a, false);
            if (row == NULL) {
                dbm__rows_close_all(w);
                a->at = a->after;
                break;
            }
            a->holding = row;
            if (w->timed) row->op.deadline_us = dbm__work_deadline(w);
            DBM__RUN(dbm__flow_finish(row), DBM__AT_ROWS_ENDED);
            break;
        case DBM__AT_ROWS_ENDED:
            dbm__flow_finished(w, a->holding);
            a->at = DBM__AT_END_ROWS;
            break;
        case DBM__AT_ROWS_CLOSED:
            if (r->rows->row.open) {
                if (r->rows->row.op.result != NULL) dbm__flow_finished(w, &r->rows->row);
                dbm__rows_close(r->rows);
            }
            return dbm__flow_end(a, DBM_OK);

        case DBM__AT_COMMIT:
            a->at = DBM__AT_UNDO;
            if (w->top->sticky != DBM_OK) break;
            a->at = DBM__AT_COMMIT_OVER;
            if (!w->in_transaction) break;
            op = dbm__flow_op(a, DBM_OP_COMMIT);
            if (w->timed && dbm__now(w->db->host) >= op->deadline_us) {
                (void)dbm__work_late(w);
                a->at = DBM__AT_UNDO;
                break;
            }
            op->no_wait = w->read_only && !w->wrote && w->sent_count == 0;
            dbm__work_shield(w);
            DBM__RUN(op, DBM__AT_COMMITTED);
            break;
        case DBM__AT_COMMITTED:
            dbm__store(&w->committing, 0);
            a->at = DBM__AT_UNDO;
            if (a->rc != DBM_OK) {
                (void)dbm__work_uncommitted(w, &a->own, a->rc);
                break;
            }
            dbm__sent_drop(w);
            w->in_transaction = false;
            w->points_sent = 0;
            a->at = DBM__AT_COMMIT_OVER;
            break;
        case DBM__AT_COMMIT_OVER:
            if (r->kind == DBM__ASYNC_END) {
                dbm__session_finish(w, true);
                a->at = DBM__AT_OVER;
                break;
            }
            if (r->kind == DBM__ASYNC_BULK_END) { /* it had a transaction of its own */
                w->wrote = false;
                return dbm__flow_end(a, w->top->sticky != DBM_OK ? dbm__level_again(w->top) : DBM_OK);
            }
            return dbm__flow_end(a, dbm__level_commit(w, w->top));

        case DBM__AT_UNDO:
            a->at = DBM__AT_UNDONE;
            a->rc = DBM_OK;
            if (!w->in_transaction || c->broken) break;
            if (dbm__load(&w->cancelled) != 0) dbm__work_shield(w); /* a cancel in flight must not hit the ROLLBACK */
            dbm__op_init(&a->own, DBM_OP_ROLLBACK, dbm__work_grace(w));
            if (!r->writes && a->own.deadline_us == INT64_MAX) a->own.deadline_us = dbm__flow_grace(a); /* or the connection's end does it */
            DBM__RUN(&a->own, DBM__AT_UNDONE);
            break;
        case DBM__AT_UNDONE:
            if (a->rc != DBM_OK) c->broken = true;
            dbm__store(&w->committing, 0);
            w->in_transaction = false;
            w->points_sent = 0;
            if (r->kind == DBM__ASYNC_COMMIT || r->kind == DBM__ASYNC_BULK_END || (r->kind == DBM__ASYNC_END && r->writes)) {
                a->at = DBM__AT_COMMIT_OVER; /* which hears of the failure that sticks */
                break;
            }
            if (r->kind == DBM__ASYNC_END) {
                a->at = DBM__AT_OVER;
                break;
            }
            w->wrote = false;
            a->at = a->after = DBM__AT_ROLLED_BACK;
            if (c->broken && r->act.stopped) {
                a->renews = true;
                return dbm__flow_end(a, dbm__fail(DBM_E_CANCELLED, DBM_STAGE_COMMIT, w->db->name, r->site, "cancelled while it was rolled back; the connection is closed"));
            }
            if (c->broken) a->at = DBM__AT_RENEW; /* what follows needs another one */
            break;
        case DBM__AT_ROLLED_BACK:
            return dbm__flow_end(a, dbm__level_undone(w, w->top, a->rc));

        case DBM__AT_RENEW:
            a->replaced = true;
            a->renews = false;
            dbm__work_renewing(w);
            dbm__side_closes(a);
            dbm__reconnect_begin(&w->slot, dbm__work_deadline(w));
            a->at = DBM__AT_RENEWED;
            if (!dbm__side_way(a, r, dbm__connect_step)) return false;
            break;
        case DBM__AT_RENEWED:
            a->rc = dbm__reconnect_end(&w->slot);
            dbm__store_release(&w->committing, 0);
            a->at = a->after;
            if (a->rc == DBM_OK || r->kind == DBM__ASYNC_ROLLBACK) break;
            a->at = DBM__AT_FAILED;
            if (a->bulk != NULL) break;
            a->rc = dbm__work_fail(w, r->site);
            return r->kind == DBM__ASYNC_BEGIN ? dbm__flow_end(a, a->rc) : dbm__flow_over(a, a->rc);

        case DBM__AT_BULK:
            a->at = DBM__AT_FAILED;
            if (a->rc != DBM_OK) break;
            w->points_sent = w->points;
            dbm__bulk_starts(a->bulk);
            DBM__RUN(&a->bulk->op, DBM__AT_BULK_BEGUN);
            break;
        case DBM__AT_BULK_BEGUN:
            a->at = DBM__AT_FAILED;
            if (a->rc == DBM_OK) return dbm__flow_end(a, dbm__bulk_inserts(a->bulk, DBM_OK));
            if (a->rc == DBM_E_UNSUPPORTED) return dbm__flow_end(a, DBM_OK); /* act.c goes on with it */
            break;
        case DBM__AT_BULK_ON: /* so far nothing had to wait */
            a->at = DBM__AT_BULK_UNDO;
            if (a->bulk->fails) break;
            if (a->rc != DBM_OK) return dbm__flow_end(a, r->kind == DBM__ASYNC_BULK_END ? dbm__bulk_close(a->bulk, a->rc) : a->rc);
            if (r->kind != DBM__ASYNC_BULK_END && !a->bulk->full) return dbm__flow_end(a, DBM_OK);
            DBM__RUN(dbm__bulk_op(a->bulk, a->bulk->full ? DBM_OP_BULK_SEND : DBM_OP_BULK_END), DBM__AT_BULK_SENT);
            break;
        case DBM__AT_BULK_SENT:
            a->at = DBM__AT_BULK_ON;
            if (r->kind == DBM__ASYNC_BULK_END) {
                a->bulk->own_way = false; /* ended in either case */
                a->at = DBM__AT_BULK_ENDED;
                if (a->rc == DBM_OK) DBM__RUN(dbm__flow_point(a, DBM_OP_RELEASE), DBM__AT_BULK_ENDED);
                break;
            }
            a->bulk->full = false;
            if (a->rc != DBM_OK) (void)dbm__bulk_row_failed(a->bulk, a->bulk->plan.failed_row, a->rc);
            else if (r->rows_at < r->row_count) a->rc = dbm__bulk_feed(r);
            break;
        case DBM__AT_BULK_ENDED:
            a->at = DBM__AT_BULK_UNDO;
            if (a->rc != DBM_OK) {
                (void)dbm__bulk_row_failed(a->bulk, a->bulk->plan.failed_row, a->rc);
                break;
            }
            a->at = DBM__AT_COMMIT;
            if (!dbm__bulk_ended(a->bulk)) return dbm__flow_end(a, DBM_OK);
            break;
        case DBM__AT_BULK_UNDO:
            a->kept = dbm__self()->last;
            a->was_clean = !c->broken;
            DBM__RUN(dbm__bulk_dropping(a->bulk), DBM__AT_BULK_DROPPED);
            break;
        case DBM__AT_BULK_DROPPED:
            DBM__RUN(dbm__bulk_dropped(a->bulk, &a->own, a->rc), DBM__AT_BULK_UNDONE);
            break;
        case DBM__AT_BULK_UNDONE: {
            bool undone = dbm__bulk_undone(a->bulk, a->rc);
            if (a->bulk->fails) {
                a->rc = dbm__bulk_failure(a->bulk, undone);
                return dbm__flow_end(a, r->kind != DBM__ASYNC_BULK_ROWS ? dbm__bulk_close(a->bulk, a->rc) : a->rc);
            }
            if (a->was_clean && c->broken) a->kept = dbm__self()->last;
            else a->kept.status = DBM_OK;
            if (r->kind == DBM__ASYNC_BULK_ABANDON) {
                (void)dbm__flow_end(a, dbm__bulk_abandoned(a->bulk, undone, &a->kept));
                if (a->rc != DBM_OK || !c->broken) return true;
                a->renews = r->act.stopped; /* then the next call does */
                if (a->renews) return true;
                a->at = DBM__AT_RENEW;
                break;
            }
            dbm__bulk_left(a->bulk);
            (void)dbm__flow_end(a, DBM_OK); /* now what it was in the way of */
            break;
        }

        default: return dbm__flow_end(a, DBM_OK);
        }
    }
}

/* ---- several at once ---------------------------------------------------------------------------------------------------------
 *
 *     first: [not sent ...] --PUT--> sent: [oldest ... newest] --RECEIVE--> told
 *
 * A batch is put in the pipeline, sent by the first RECEIVE, and received to its end before anything else is begun on the connection: so who reads never has to
 * write. What it holds is little enough for one send. */

enum { DBM__BATCH_CALLS = 128, DBM__BATCH_BYTES = 16000 };

/* What the server may be told to stop in the place of another's call is done wholly or not at all: CALL may commit in between. */
static bool dbm__batch_whole(const dbm__async *a, const dbm__entry *e) {
    return !a->side.apart || !(a->db->adapter->flags & DBM_ADAPTER_STOPS) || e->verb == DBM__VERB_READ || e->verb == DBM__VERB_WRITE;
}

static bool dbm__batch_kind(const dbm__request *r) {
    return r->kind >= DBM__ASYNC_EXEC && r->kind <= DBM__ASYNC_COMMAND && r->kind != DBM__ASYNC_QUERY && !r->alone && !r->act.stopped && !r->act.done
        && r->size - sizeof *r <= DBM__BATCH_BYTES;
}

DBM__FN void dbm__lent_end(dbm__work *w) {
    dbm_rows *rows, *next;
    for (rows = w->rows; rows != NULL; rows = next) {
        next = rows->next;
        if (rows->row.lent_to == w) dbm__rows_close(rows);
    }
}

DBM__FN bool dbm__batch_may(dbm__async *a) {
    dbm__work *w = a->work;
    const dbm_adapter *adapter = w->db->adapter;
    dbm_op *op = &w->one.row.op;
    const dbm_rows *rows;
    int lent = 0;
    if (!a->pipes || a->renews || a->first == NULL || a->first->next == NULL || !dbm__batch_kind(a->first) || !dbm__batch_kind(a->first->next)) return false;
    if (w->points != 0 || w->sent_count != 0 || w->commands != 0 || w->bulk != NULL || w->top->sticky != DBM_OK || dbm__load(&w->cancelled) != 0 || w->slot.connection.broken
        || (w->timed && dbm__now(w->db->host) >= w->top->deadline_us)) return false;
    dbm__lent_end(w);
    if (w->one.row.open && op->result != NULL) { /* it ends with the next call, at once if that takes no waiting */
        op->kind = DBM_OP_FINISH;
        if (adapter->execute == NULL || adapter->execute(&w->slot.connection, op) != DBM_OK) return false;
        dbm__flow_finished(w, &w->one.row);
    }
    if (w->one.row.open) dbm__rows_close(&w->one);
    for (rows = w->rows; rows != NULL; rows = rows->next) if (rows->row.lent_to != NULL && rows->row.op.result != NULL) lent++;
    return w->open_rows == lent;
}

static dbm__request *dbm__batch_pop(dbm__async *a) {
    dbm__request *r = a->sent;
    a->sent = r->next;
    if (a->sent == NULL) a->last_sent = &a->sent;
    a->sent_count--;
    if (r->entry != NULL) dbm__cache_answered(&a->work->slot.connection, r->entry);
    return r;
}

/* It has failed, for what is this thread's last failure. */
static void dbm__batch_failed(dbm__async *a, dbm__request *r, dbm_status st, bool writes) {
    dbm__work *w = a->work;
    if (w->top->sticky != DBM_OK && !w->no_transaction) {
        st = dbm__level_again(w->top);
    } else {
        if (writes && !r->act.done) dbm__work_doubt(w, st); /* else it was when that was told */
        if (r->sql != NULL) dbm__statement_shown(w, r->sql);
        st = dbm__work_fail(w, r->site);
    }
    dbm__side_answered(a, r, st);
}

/* Its answer is there: what it has changed, and its first row. */
static void dbm__batch_got(dbm__async *a, dbm_op *op) {
    dbm__work *w = a->work;
    dbm__request *r = a->sent;
    dbm_rows *rows = a->rows;
    dbm_status st = DBM_OK;
    if (r->entry == NULL) (void)dbm__command_over(w, op, DBM_OK, r->writes, r->site);
    else if (r->entry->prepared.writes) dbm__work_wrote(w, r->entry, op);
    (void)dbm__batch_pop(a);
    r->affected = w->affected;
    r->last_id = w->last_id;
    if (rows == NULL) {
        op->kind = DBM_OP_FINISH;
        if (op->result != NULL) dbm__op_finish(&w->slot.connection, op);
        if (r->kind != DBM__ASYNC_EXEC) st = dbm__no_memory(DBM_STAGE_ROW, w->db->name, r->site);
    } else {
        dbm__rows_opened(w, rows);
        if (!dbm__rows_at_hand(rows, &st)) {
            op->kind = DBM_OP_FETCH;
            st = dbm__rows_fetched(rows, dbm__op_run(&w->slot.connection, op));
        }
        rows->row.held = true;
        rows->row.lent_to = r;
        if (st == DBM_OK) r->row = &rows->row;
        else dbm__rows_close(rows);
        if (st == DBM_DONE) st = r->entry == NULL ? DBM_OK : dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, w->db->name, r->site, "no row matched");
    }
    dbm__side_answered(a, r, st);
}

/* The connection broke. What was sent may have been done; what can't have been goes once more, on another one: all of a batch that was the first thing on a
 * connection found dead, and calls on a database that only read. */
static void dbm__batch_lost(dbm__async *a, dbm_status st) {
    dbm_error_info kept = dbm__self()->last;
    dbm__request *r, *again = NULL, **last = &again;
    bool writes = false, all;
    for (r = a->sent; r != NULL; r = r->next) writes = writes || r->writes;
    all = !a->side.apart && a->unheard && dbm__may_replace(a->work, st, a->was_clean, writes);
    while (a->sent != NULL) {
        dbm_status own;
        r = dbm__batch_pop(a);
        own = r->status != DBM_OK ? dbm__error_kept(a->work->db->host, r->error, r->status) : DBM_OK; /* why it was not sent */
        r->error = NULL;
        r->status = DBM_OK;
        if (all || (a->side.apart && st == DBM_E_LOST && !r->writes && !r->again && own == DBM_OK && !r->act.done)) {
            r->again = true;
            *last = r;
            last = &r->next;
            continue;
        }
        if (own == DBM_OK) dbm__self()->last = kept;
        dbm__batch_failed(a, r, own == DBM_OK ? st : own, own == DBM_OK && r->writes);
    }
    if (again == NULL) return;
    if (all) again->alone = a->renews = true;
    dbm__side_back(a, again, last);
}

DBM__FN bool dbm__batch(dbm__async *a) {
    dbm__work *w = a->work;
    dbm_connection *c = &w->slot.connection;
    for (;;) {
        dbm__request *r = a->at < DBM__AT_RECEIVE ? a->first : a->sent;
        dbm_op *op = &a->own;
        switch (a->at) {
        case DBM__AT_START:
            a->was_clean = !w->in_transaction;
            a->unheard = true;
            a->stops = false;
            a->sent_size = 0;
            a->last_undone = &a->undone;
            a->at = DBM__AT_PUT;
            break;

        case DBM__AT_PUT:
            a->at = DBM__AT_RECEIVE;
            a->rows = NULL;
            a->entry = NULL;
            a->rc = DBM_OK;
            if (r == NULL || a->sent_count == DBM__BATCH_CALLS || !dbm__batch_kind(r) || a->sent_size + r->size - sizeof *r > DBM__BATCH_BYTES) break;
            a->at = DBM__AT_PUT_FOUND;
            if (r->kind == DBM__ASYNC_COMMAND || dbm__flow_find(a)) break;
            if (a->sent == NULL) {
                dbm__cache_prepare(a->entry, op, dbm__work_deadline(w));
                DBM__RUN(op, DBM__AT_PUT_READY);
                break;
            }
            dbm__cache_unused(c, a->entry); /* that comes when the others have been answered */
            a->at = DBM__AT_RECEIVE;
            break;
        case DBM__AT_PUT_READY:
            a->rc = dbm__cache_prepared(c, a->entry, a->rc, r->hint, r->site);
            if (a->rc != DBM_OK) a->entry = NULL;
            /* fall through */
        case DBM__AT_PUT_FOUND:
            if (a->entry != NULL) r->writes = a->entry->prepared.writes;
            if ((r->writes && w->read_only) || (a->entry != NULL && (a->entry->verb >= DBM__VERB_STATE || !dbm__batch_whole(a, a->entry) || dbm__flow_refuse(a) != DBM_OK))) a->rc = DBM_E_UNSUPPORTED;
            a->at = DBM__AT_PUT_BEGUN;
            if (a->rc == DBM_OK && !w->in_transaction && !w->no_transaction) DBM__RUN(dbm__flow_begin_op(a), DBM__AT_PUT_BEGUN);
            break;
        case DBM__AT_PUT_BEGUN:
            a->at = DBM__AT_PUT_DONE;
            if (a->rc == DBM_OK && !w->in_transaction && !w->no_transaction) dbm__flow_begun(w);
            if (a->rc != DBM_OK || r->act.stopped) a->rc = DBM_E_UNSUPPORTED; /* what is wrong is said when the call is run alone */
            if (a->rc == DBM_OK) a->rc = dbm__flow_execute(a);
            r->gen = w->gen; /* from here on it may be done */
            op->no_wait = op->reply = true;
            op->alone = w->no_transaction;
            op->site = r->site;
            if (a->rc == DBM_OK) DBM__RUN(op, DBM__AT_PUT_DONE);
            break;
        case DBM__AT_PUT_DONE:
            a->at = DBM__AT_RECEIVE;
            r->entry = a->entry;
            if (r->entry != NULL) {
                r->entry->sent++;
                dbm__cache_give(c, r->entry);
            }
            DBM_ASSERT(a->rc != DBM_OK || op->queued);
            r->alone = a->rc == DBM_E_UNSUPPORTED;
            if (r->alone && r->entry != NULL) dbm__cache_answered(c, r->entry);
            if (r->alone) r->gen = 0;
            if (r->alone) break;
            a->first = r->next;
            r->next = NULL;
            *a->last_sent = r;
            a->last_sent = &r->next;
            a->sent_count++;
            a->sent_size += r->size - sizeof *r;
            r->status = a->rc;
            r->error = dbm__error_keep(w->db->host, a->rc);
            if (a->rc == DBM_OK) a->at = DBM__AT_PUT;
            break;

        case DBM__AT_RECEIVE:
            if (r == NULL) {
                if (a->line != NULL && a->line->lead == a) a->line->lead = NULL; /* one of those that look now will */
                if (a->last_undone != &a->undone) dbm__side_back(a, a->undone, a->last_undone);
                a->at = DBM__AT_START;
                return true;
            }
            if (r->status != DBM_OK) {
                a->rc = dbm__error_kept(w->db->host, r->error, r->status);
                r->error = NULL;
                dbm__batch_failed(a, dbm__batch_pop(a), a->rc, false);
                break;
            }
            a->rows = r->kind != DBM__ASYNC_EXEC ? dbm__rows_new(w) : NULL;
            if (a->rows != NULL) {
                dbm__rows_reset(w, a->rows, r->site);
                op = &a->rows->row.op;
            }
            dbm__op_init(op, DBM_OP_RECEIVE, dbm__work_deadline(w));
            if (w->timed && a->side.apart) op->deadline_us += 1000000; /* the server has the first word: the end of the connection is that of others' calls, too */
            op->last_id = r->entry != NULL ? -1 : 0;
            op->prepared = r->entry != NULL ? &r->entry->prepared : NULL;
            op->one_row = r->kind == DBM__ASYNC_ONE;
            op->row_buffer = w->db->settings->config.row_buffer;
            if (!dbm__flow_run(a, op, DBM__AT_RECEIVED)) {
                if (r->act.done) dbm__batch_stop(a);
                return false;
            }
            break;
        default: /* RECEIVED */
            a->at = DBM__AT_RECEIVE;
            a->gathers_us = 0;
            if (a->rc == DBM_DONE) {
                c->broken = true;
                a->rc = dbm__fail(DBM_E_LOST, DBM_STAGE_STATEMENT, w->db->name, r->site, "the connection is out of step: there is no answer to this call");
            }
            if (a->rc != DBM_OK && a->rows != NULL) dbm__rows_spare(w, a->rows);
            if (a->rc == DBM_OK) dbm__batch_got(a, a->op);
            else if (c->broken) dbm__batch_lost(a, a->rc);
            else if (((a->op->undone && !r->again) || (a->stops && (a->rc == DBM_E_CANCELLED || a->rc == DBM_E_TIMEOUT))) && !r->act.done) {
                /* a stale plan, or it stood behind one that failed, or was stopped in the place of another one: it goes again, by itself */
                *a->last_undone = dbm__batch_pop(a);
                a->last_undone = &r->next;
                r->again = r->alone = true;
            } else dbm__batch_failed(a, dbm__batch_pop(a), a->rc, false);
            a->unheard = false;
            break;
        }
    }
}
#endif /* DBM_HAS_ASYNC */
