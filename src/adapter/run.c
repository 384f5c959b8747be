/* Running an operation: the one step loop of the synchronous side, the blocking entries, and what is emulated for an adapter.
 * May call: api/, base/, net/, config/.
 * Must not know: who asked for the operation. */
#include "adapter.h"

DBM__FN void dbm__op_init(dbm_op *op, dbm_op_kind kind, int64_t deadline_us) {
    memset(op, 0, sizeof *op);
    op->kind = kind;
    op->deadline_us = deadline_us;
    op->affected = -1;
    op->fd = -1;
    op->wake_us = INT64_MAX;
}

static dbm_stage dbm__stage_of(dbm_op_kind kind) {
    switch (kind) {
    case DBM_OP_CONNECT: case DBM_OP_PING: case DBM_OP_RESET: return DBM_STAGE_CONNECT;
    case DBM_OP_BEGIN: return DBM_STAGE_BEGIN;
    case DBM_OP_COMMIT: case DBM_OP_ROLLBACK: return DBM_STAGE_COMMIT;
    case DBM_OP_FETCH: case DBM_OP_HOLD: return DBM_STAGE_ROW;
    case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: case DBM_OP_PREPARE: case DBM_OP_UNPREPARE:
    case DBM_OP_EXECUTE: case DBM_OP_FINISH: case DBM_OP_SCRIPT: case DBM_OP_NATIVE: case DBM_OP_COMMAND:
    case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_BULK: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END: case DBM_OP_LISTEN: case DBM_OP_NOTIFIED:
    case DBM__OP_SIGNED: break;
    }
    return DBM_STAGE_STATEMENT;
}

DBM__FN dbm_status dbm__op_failed(dbm_connection *c, dbm_op_kind kind, dbm_status status) {
    dbm_error_info *e = &dbm__self()->last;
    if (status == DBM_E_LOST) c->broken = true;
    if (!c->reported || e->status != status) { /* the adapter gave a status without words; what stands there is of another failure */
        dbm__fail(status, dbm__stage_of(kind), c->db->name, NULL, "adapter %q: %s", c->db->adapter->type, dbm_status_text(status));
        if (status == DBM_E_LOST || status == DBM_E_SERIALIZATION || status == DBM_E_DEADLOCK) e->retryable = true;
    }
    c->reported = false;
    e->stage = dbm__stage_of(kind);
    if (e->database[0] == 0) dbm__copy_cut(e->database, sizeof e->database, c->db->name);
    return status;
}

/* What may be interrupted by a cancel: nothing that ends a transaction, or that nobody would miss. */
DBM__INLINE bool dbm__cancellable(dbm_op_kind kind) {
    const uint32_t kinds = 1u << DBM_OP_PREPARE | 1u << DBM_OP_EXECUTE | 1u << DBM_OP_FETCH | 1u << DBM_OP_HOLD | 1u << DBM_OP_FINISH | 1u << DBM_OP_SCRIPT |
        1u << DBM_OP_COMMAND | 1u << DBM_OP_SYNC | 1u << DBM_OP_RECEIVE | 1u << DBM_OP_BULK | 1u << DBM_OP_BULK_SEND | 1u << DBM_OP_BULK_END;
    return (kinds >> (int)kind & 1u) != 0;
}

/* It can't go on: what is in flight can't be told from the next answer, so the connection is given up. */
static dbm_status dbm__steps_give_up(dbm_connection *c, dbm_op *op, dbm_status st, const char *why) {
    const dbm_adapter *a = c->db->adapter;
    c->broken = true;
    op->status = st;
    if (op->kind == DBM_OP_CONNECT && c->data != NULL) { /* half made: the adapter drops it as it drops any other */
        a->disconnect(c, DBM_DISCONNECT_BROKEN);
        c->data = NULL;
    }
    dbm__fail(st, dbm__stage_of(op->kind), c->db->name, NULL, "%s", why);
    dbm__self()->last.retryable = st == DBM_E_LOST;
    c->reported = true;
    return st;
}

/* The server ended the statement because it was told to, at the deadline; the connection is as good as before. */
static dbm_status dbm__steps_timed_out(dbm_connection *c, dbm_op *op) {
    dbm_error_info *e = &dbm__self()->last;
    char text[sizeof e->message];
    dbm__copy_cut(text, sizeof text, e->message);
    dbm__format(e->message, sizeof e->message, "the deadline passed%s%s%s", c->broken ? "" : ", and the statement was cancelled", c->reported ? ": " : "",
                c->reported ? text : "");
    if (!c->reported) dbm__fail(DBM_E_TIMEOUT, dbm__stage_of(op->kind), c->db->name, NULL, "the deadline passed, and the statement was cancelled");
    e->status = op->status = DBM_E_TIMEOUT;
    e->retryable = false;
    c->reported = true;
    return DBM_E_TIMEOUT;
}

/* ---- the step loop ---------------------------------------------------------------------------------------------------
 *
 *     RUNNING --dbm_cancel--> STOPPED --a second--> given up
 *        +------deadline----> LATE ----a second--> given up        (COMMIT, CONNECT and their like: given up at once)
 *
 * Whoever drives it waits for what `want` says, and tells what came of that; the synchronous side below waits for one, dbm_init_all for
 * many. */
enum { DBM__RUNNING = 0, DBM__STOPPED, DBM__LATE };

static void dbm__running_stop(dbm__running *r, int phase) {
    r->phase = phase;
    r->limit_us = dbm__now(r->c->db->host) + 1000000;
    if (r->c->db->adapter->flags & DBM_ADAPTER_STOPS) {
        r->op->stop = true;
        r->op->wake_us = 0; /* the next step comes at once */
    } else {
        r->c->db->adapter->cancel(r->c);
    }
}

DBM__INLINE void dbm__running_step(dbm__running *r) {
    r->op->wake_us = r->quiet_us = INT64_MAX;
    r->want = r->c->db->adapter->step(r->c, r->op);
    if (r->want == DBM_STEP_DONE && DBM__UNLIKELY(r->phase == DBM__LATE) && r->op->status == DBM_E_CANCELLED) dbm__steps_timed_out(r->c, r->op);
}

DBM__FN void dbm__running_give_up(dbm__running *r, dbm_status st, const char *why) {
    dbm__steps_give_up(r->c, r->op, st, why);
    r->want = DBM_STEP_DONE;
}

DBM__INLINE void dbm__running_begin(dbm__running *r, dbm_connection *c, dbm_op *op) {
    r->c = c;
    r->op = op;
    r->phase = DBM__RUNNING;
    r->cancellable = c->db->adapter->cancel != NULL && dbm__cancellable(op->kind) && !(op->kind == DBM_OP_BULK_END && op->bulk->abandon);
    r->limit_us = op->deadline_us;
    op->wake_us = r->quiet_us = INT64_MAX;
    op->fd = -1;
    op->status = DBM_OK;
    op->started = op->stop = false;
    c->db->adapter->start(c, op);
    if (op->started) r->want = DBM_STEP_READ;
    else dbm__running_step(r);
}

DBM__FN void dbm__running_start(dbm__running *r, dbm_connection *c, dbm_op *op) {
    op->may_wait = false; /* as the synchronous side may have left it */
    dbm__running_begin(r, c, op);
}

DBM__FN int64_t dbm__running_until(dbm__running *r) {
    dbm__host *host = r->c->db->host;
    int silence_ms = r->c->db->settings->config.socket_timeout_ms;
    int64_t until, soon;
    /* Once more from here: dbm_cancel may have come before there was anything to cancel. */
    if (DBM__UNLIKELY(r->phase == DBM__RUNNING && r->cancellable && dbm__load(&r->c->cancelled) != 0)) dbm__running_stop(r, DBM__STOPPED);
    until = r->op->wake_us < r->limit_us ? r->op->wake_us : r->limit_us;
    if (silence_ms > 0 && r->quiet_us == INT64_MAX) r->quiet_us = dbm__now(host) + (int64_t)silence_ms * 1000;
    if (r->quiet_us < until) until = r->quiet_us;
    if (r->cancellable && until != INT64_MAX && until > (soon = dbm__now(host) + 1000000)) until = soon; /* dbm_cancel is heard within a second */
    return until;
}

DBM__FN void dbm__running_heard(dbm__running *r, dbm_status heard) {
    if (heard == DBM_E_TIMEOUT) {
        int64_t now = dbm__now(r->c->db->host);
        if (now >= r->limit_us) {
            if (r->phase == DBM__RUNNING && r->cancellable) dbm__running_stop(r, DBM__LATE);
            else if (r->op->kind == DBM_OP_CONNECT) dbm__running_give_up(r, DBM_E_TIMEOUT, "no answer in time (connect_timeout, or what the session had left): is a server of this type at that address?");
            else if (r->phase == DBM__STOPPED || (r->op->kind != DBM_OP_COMMIT && dbm__load(&r->c->cancelled) != 0)) dbm__running_give_up(r, DBM_E_CANCELLED, "the session was cancelled, and the server did not answer; the connection is closed");
            else dbm__running_give_up(r, DBM_E_TIMEOUT, "no answer before the deadline; the connection is closed");
            return;
        }
        if (now >= r->quiet_us) {
            dbm__running_give_up(r, DBM_E_TIMEOUT, "the server was silent for longer than socket_timeout; the connection is closed");
            return;
        }
        if (now < r->op->wake_us) return; /* nothing has come yet */
    } else if (heard != DBM_OK) {
        if (heard == DBM_E_CLOSED) dbm__running_give_up(r, r->op->kind == DBM_OP_COMMIT ? DBM_E_TIMEOUT : DBM_E_CANCELLED, "no answer within the grace period (grace_ms); the connection is closed");
        else dbm__running_give_up(r, heard, heard != DBM_E_LOST ? "this system can't wait for a socket" : r->op->kind == DBM_OP_CONNECT
                             ? "the connection was closed before it was made: is a server of this type at that address?" : "the connection was lost");
        return;
    }
    dbm__running_step(r);
}

static dbm_status dbm__steps(dbm_connection *c, dbm_op *op) {
    dbm__host *host = c->db->host;
    bool watched = op->deadline_us != INT64_MAX || c->db->settings->config.socket_timeout_ms > 0;
    dbm__running r;
    op->may_wait = !watched && dbm__load(&c->cancelled) == 0;
    dbm__running_begin(&r, c, op);
    while (r.want != DBM_STEP_DONE) {
        /* Without a deadline there is nothing to reckon, nor a clock to read: only dbm_cancel to be heard, once in a second. */
        int64_t until = watched || op->wake_us != INT64_MAX || r.phase != DBM__RUNNING || dbm__load(&c->cancelled) != 0 ? dbm__running_until(&r) : INT64_MAX;
        dbm_status heard = DBM_E_TIMEOUT;
        if (r.want == DBM_STEP_TIMER || op->fd < 0) dbm__sleep_until(host, until);
        else heard = dbm__net_wait(host, op->fd, (int)r.want & 3, until);
        if (DBM__LIKELY(heard == DBM_OK)) dbm__running_step(&r);
        else dbm__running_heard(&r, heard);
    }
    return op->status;
}

static dbm_status dbm__op_call(dbm_connection *c, dbm_op *op) {
    const dbm_adapter *a = c->db->adapter;
    if (a->start != NULL) {
        dbm_status st = DBM_E_UNSUPPORTED;
        if (op->kind == DBM_OP_FETCH && a->fetch != NULL) st = a->fetch(c, op);
        else if (op->kind == DBM_OP_FINISH && a->execute != NULL) st = a->execute(c, op);
        return st == DBM_E_UNSUPPORTED ? dbm__steps(c, op) : st;
    }
    if (op->kind == DBM_OP_CONNECT) return a->connect != NULL ? a->connect(c, op) : DBM_E_UNSUPPORTED;
    if (op->kind == DBM_OP_PING && a->ping != NULL) return a->ping(c, op);
    if (op->kind == DBM_OP_RESET && a->reset != NULL) return a->reset(c, op);
    if (op->kind == DBM_OP_FETCH && a->fetch != NULL) return a->fetch(c, op);
    return a->execute != NULL ? a->execute(c, op) : DBM_E_UNSUPPORTED;
}

/* The transaction's words as SQL, for adapters that only execute statements. */
static dbm_status dbm__as_sql(dbm_connection *c, dbm_op *op, const char *verb, int number) {
    char text[64];
    dbm__text t = dbm__text_in(text, sizeof text);
    dbm_prepared statement;
    dbm_op run;
    dbm_status st;
    dbm__put(&t, verb);
    if (number > 0) dbm__putf(&t, "dbm_%d", number);
    memset(&statement, 0, sizeof statement);
    statement.sql = text;
    statement.sql_size = t.size;
    statement.writes = true;
    dbm__op_init(&run, DBM_OP_EXECUTE, op->deadline_us);
    run.sql = text;
    run.sql_size = t.size;
    run.prepared = &statement;
    st = dbm__op_call(c, &run);
    if (run.result != NULL) {
        run.kind = DBM_OP_FINISH;
        dbm__op_call(c, &run);
    }
    return st;
}

static dbm_status dbm__emulate(dbm_connection *c, dbm_op *op) {
    dbm_status st;
    switch (op->kind) {
    case DBM_OP_BEGIN: return dbm__as_sql(c, op, "BEGIN", 0);
    case DBM_OP_COMMIT: return dbm__as_sql(c, op, "COMMIT", 0);
    case DBM_OP_ROLLBACK: return dbm__as_sql(c, op, "ROLLBACK", 0);
    case DBM_OP_SAVEPOINT: return dbm__as_sql(c, op, "SAVEPOINT ", op->savepoint);
    case DBM_OP_RELEASE: return dbm__as_sql(c, op, "RELEASE SAVEPOINT ", op->savepoint);
    case DBM_OP_ROLLBACK_TO:
        st = dbm__as_sql(c, op, "ROLLBACK TO SAVEPOINT ", op->savepoint);
        return st == DBM_OK ? dbm__as_sql(c, op, "RELEASE SAVEPOINT ", op->savepoint) : st;
    case DBM_OP_PREPARE: case DBM_OP_UNPREPARE: case DBM_OP_FINISH: return DBM_OK;
    case DBM_OP_PING:
        return c->db->adapter->alive != NULL ? c->db->adapter->alive(c) : DBM_OK;
    case DBM_OP_SYNC: return DBM_OK;
    case DBM_OP_FETCH: case DBM_OP_RECEIVE: return DBM_DONE;
    case DBM_OP_CONNECT: case DBM_OP_EXECUTE: case DBM_OP_HOLD: case DBM_OP_SCRIPT: case DBM_OP_RESET: case DBM_OP_NATIVE: case DBM_OP_COMMAND:
    case DBM_OP_BULK: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END: case DBM_OP_LISTEN: case DBM_OP_NOTIFIED: case DBM__OP_SIGNED: break;
    }
    return DBM_E_UNSUPPORTED;
}

DBM__FN dbm_status dbm__op_run(dbm_connection *c, dbm_op *op) {
    c->reported = false;
    op->queued = op->of_pipeline = false;
    op->answered = 0;
    op->sent_affected = op->sent_last_id = -1;
    return dbm__op_end(c, op, dbm__op_call(c, op));
}

static DBM__NOINLINE dbm_status dbm__op_answered(dbm_connection *c, dbm_op *op, dbm_status st) {
    return c->db->pipeline && c->db->on_answered != NULL && !c->alone ? op->status = c->db->on_answered(c, op, st) : st;
}

DBM__FN dbm_status dbm__op_end(dbm_connection *c, dbm_op *op, dbm_status st) {
    if (st == DBM_E_UNSUPPORTED && !c->reported) st = dbm__emulate(c, op);
    op->status = st;
    if (st == DBM_OK || st == DBM_DONE) return DBM__UNLIKELY(op->answered != 0) ? dbm__op_answered(c, op, st) : st;
    if (st == DBM_E_UNSUPPORTED && !c->reported && op->kind != DBM_OP_RESET && op->kind != DBM_OP_SCRIPT) {
        static const char *const names[] = { "connect", "begin", "commit", "roll back", "make savepoints", "release savepoints",
            "roll back to savepoints", "prepare", "unprepare", "execute statements", "fetch rows",
            "run a statement while the rows of another one are being read", "finish", "run scripts", "be pinged", "be reset", "hand out its native handle", "run commands of its own",
            "wait for its pipeline", "receive", "take rows in bulk", "send rows in bulk", "end a bulk", "listen", "listen" };
        const char *what = (size_t)op->kind < sizeof names / sizeof names[0] ? names[op->kind] : "do this";
        dbm__fail(st, dbm__stage_of(op->kind), c->db->name, NULL, "an adapter of type %q can't %s", c->db->adapter->type, what);
        c->reported = true;
    }
    st = dbm__op_failed(c, op->kind, st);
    return op->answered != 0 || op->of_pipeline || c->broken ? dbm__op_answered(c, op, st) : st;
}

DBM__FN void dbm__connection_alone(dbm_connection *c, dbm_database *db) {
    memset(c, 0, sizeof *c);
    c->db = db;
    c->alone = c->connecting = true;
}

DBM__FN dbm_status dbm__connection_made_alone(dbm_connection *c, dbm_status st) {
    c->connecting = false;
    c->open = st == DBM_OK;
    dbm__credentials_drop(c);
    return st;
}

DBM__FN void dbm__connection_close(dbm_connection *c, dbm_disconnect how) {
    if (!c->open) return;
    c->open = false;
    c->state = DBM_STATE_NONE;
    if (c->db->adapter->disconnect != NULL) c->db->adapter->disconnect(c, how);
    c->data = NULL;
    dbm__credentials_drop(c);
}
