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
    case DBM_OP_EXECUTE: case DBM_OP_FINISH: case DBM_OP_SCRIPT: case DBM_OP_NATIVE: case DBM__OP_SIGNED: break;
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

/* start, then step until DONE; what it waits for is waited for here. */
static dbm_status dbm__steps(dbm_connection *c, dbm_op *op) {
    const dbm_adapter *a = c->db->adapter;
    dbm_step want;
    op->fd = -1;
    op->wake_us = INT64_MAX;
    op->status = DBM_OK;
    a->start(c, op);
    while ((want = a->step(c, op)) != DBM_STEP_DONE) {
        int64_t until = op->wake_us < op->deadline_us ? op->wake_us : op->deadline_us;
        dbm_status st;
        if (want == DBM_STEP_TIMER || op->fd < 0) {
            dbm__sleep_until(c->db->host, until);
            st = DBM_E_TIMEOUT;
        } else {
            st = dbm__net_wait(c->db->host, op->fd, (int)want & 3, until);
        }
        op->wake_us = INT64_MAX;
        if (st == DBM_E_TIMEOUT && (op->deadline_us == INT64_MAX || dbm__now(c->db->host) < op->deadline_us)) st = DBM_OK; /* its time has come: step again */
        if (st != DBM_OK) {
            /* No answer in time: what is in flight can't be told from the next answer, so the connection is given up. */
            if (a->cancel != NULL && st == DBM_E_TIMEOUT) a->cancel(c);
            c->broken = true;
            op->status = st;
            if (op->kind == DBM_OP_CONNECT && c->data != NULL) { /* half made: the adapter drops it as it drops any other */
                a->disconnect(c, DBM_DISCONNECT_BROKEN);
                c->data = NULL;
            }
            dbm__fail(st, dbm__stage_of(op->kind), c->db->name, NULL, "%s",
                      st == DBM_E_TIMEOUT ? "no answer before the deadline; the connection is closed"
                      : st == DBM_E_LOST ? "the connection was lost" : "this system can't wait for a socket");
            dbm__self()->last.retryable = st == DBM_E_LOST;
            c->reported = true;
            break;
        }
    }
    return op->status;
}

static dbm_status dbm__op_call(dbm_connection *c, dbm_op *op) {
    const dbm_adapter *a = c->db->adapter;
    if (a->start != NULL) return dbm__steps(c, op);
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
    case DBM_OP_FETCH: return DBM_DONE;
    case DBM_OP_CONNECT: case DBM_OP_EXECUTE: case DBM_OP_HOLD: case DBM_OP_SCRIPT: case DBM_OP_RESET: case DBM_OP_NATIVE:
    case DBM__OP_SIGNED: break;
    }
    return DBM_E_UNSUPPORTED;
}

DBM__FN dbm_status dbm__op_run(dbm_connection *c, dbm_op *op) {
    dbm_status st;
    c->reported = false;
    st = dbm__op_call(c, op);
    if (st == DBM_E_UNSUPPORTED && !c->reported) st = dbm__emulate(c, op);
    op->status = st;
    if (st == DBM_OK || st == DBM_DONE) return st;
    if (st == DBM_E_UNSUPPORTED && !c->reported && op->kind != DBM_OP_RESET && op->kind != DBM_OP_SCRIPT) {
        static const char *const names[] = { "connect", "begin", "commit", "roll back", "make savepoints", "release savepoints",
            "roll back to savepoints", "prepare", "unprepare", "execute statements", "fetch rows",
            "run a statement while the rows of another one are being read", "finish", "run scripts", "be pinged", "be reset", "hand out its native handle" };
        const char *what = (size_t)op->kind < sizeof names / sizeof names[0] ? names[op->kind] : "do this";
        dbm__fail(st, dbm__stage_of(op->kind), c->db->name, NULL, "an adapter of type %q can't %s", c->db->adapter->type, what);
        c->reported = true;
    }
    return dbm__op_failed(c, op->kind, st);
}

DBM__FN void dbm__connection_close(dbm_connection *c, dbm_disconnect how) {
    if (!c->open) return;
    c->open = false;
    if (c->db->adapter->disconnect != NULL) c->db->adapter->disconnect(c, how);
    c->data = NULL;
    dbm__credentials_drop(c);
}
