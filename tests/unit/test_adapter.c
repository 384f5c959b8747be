/* adapter/: what dbm_register refuses, what is emulated and what is refused with a name, the step loop on real sockets, failures and
 * secrets in an adapter's own words, credentials. */
#include "scripted.h"

static int tear_down(void **state) {
    (void)state;
    return server_end_all();
}

/* ---- dbm_register -------------------------------------------------------------------------------------------------------------- */

static void refused(dbm_manager *mgr, const dbm_adapter *a, const char *why) {
    CHECK_STATUS(dbm_register(mgr, a), DBM_E_MISUSE);
    if (strstr(dbm_last_error()->message, why) == NULL) fprintf(stderr, "message: %s\n", dbm_last_error()->message);
    assert_non_null(strstr(dbm_last_error()->message, why));
    assert_int_equal(dbm_last_error()->stage, DBM_STAGE_CONFIG);
}

static void test_register(void **state) {
    dbm_manager *mgr = server_manager(NULL);
    dbm_adapter a;
    (void)state;
    refused(mgr, NULL, "the adapter is NULL");
    CHECK(dbm_register(NULL, &adapter_bare) != DBM_OK);
    a = adapter_scripted;
    a.type = "new";
    a.size = sizeof a - 8;
    refused(mgr, &a, "built for another dbm.h");
    assert_non_null(strstr(dbm_last_error()->message, "compile it again"));
    a.size = sizeof a;
    a.version = DBM_ADAPTER_VERSION + 1;
    refused(mgr, &a, "version 2, here");
    a.version = DBM_ADAPTER_VERSION;
    a.type = NULL;
    refused(mgr, &a, "has no .type");
    a.type = "";
    refused(mgr, &a, "has no .type");
    a.type = "new";
    a.init = NULL;
    refused(mgr, &a, "adapter 'new' lacks .init");
    a.init = on_init;
    a.close = NULL;
    refused(mgr, &a, "adapter 'new' lacks .close");
    a.close = on_close;
    a.disconnect = NULL;
    refused(mgr, &a, "connects but has no .disconnect");
    a.disconnect = on_disconnect;
    a.column = NULL;
    refused(mgr, &a, "fetches rows but has no .column");
    a.column = on_column;
    a.start = on_start;
    refused(mgr, &a, "one of .start and .step");
    a.start = NULL;
    a.step = on_step;
    refused(mgr, &a, "one of .start and .step");
    a = adapter_stepped;
    a.type = "new";
    a.disconnect = NULL;
    refused(mgr, &a, "connects but has no .disconnect");
    a = adapter_scripted;
    refused(mgr, &a, "the type 'scripted' is registered already");
    a.type = "new";
    a.schemes = "fresh,stepped";
    refused(mgr, &a, "belongs to the type 'stepped' already");
    a.schemes = "fresh,fresh+tls";
    CHECK_STATUS(dbm_register(mgr, &a), DBM_OK);
    server *v = server_make();
    dbm_config config;
    memset(&config, 0, sizeof config);
    config.url = "fresh://h/0";
    dbm_database *db = server_add(mgr, v, "fresh", &config);
    CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
    dbm_manager_free(mgr);
}

/* ---- what an adapter leaves out -------------------------------------------------------------------------------------------------- */

static void test_words_of_transactions(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_manager *mgr = server_manager(NULL);
        dbm_status rc, part;
        v->as_sql = true;
        v->no_prepare = true;
        dbm_database *db = server_add(mgr, v, forms[form], NULL);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(dbm_exec(s, "write ?", 7), DBM_OK);
            assert_string_equal(v->first_value, "7");
            DBM_SAVEPOINT_RC(s, &part) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            CHECK_STATUS(part, DBM_OK);
            DBM_SAVEPOINT_RC(s, &part) CHECK_STATUS(dbm_exec(s, "fail 23505"), DBM_E_CONSTRAINT);
            CHECK_STATUS(part, DBM_E_CONSTRAINT);
            CHECK_STATUS(dbm_clear_error(s), DBM_OK);
            CHECK_STATUS(dbm_exec(s, "write 4"), DBM_OK);
        }
        CHECK_STATUS(rc, DBM_OK);
        DBM_SESSION_ON(db, s) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            CHECK_STATUS(dbm_rollback(s), DBM_OK);
        }
        char sent[2048] = "";
        for (int i = 0; i < v->logged; i++) {
            if (v->log[i].kind != DBM_OP_EXECUTE) continue;
            (void)snprintf(sent + strlen(sent), sizeof sent - strlen(sent), "%s; ", v->log[i].sql);
        }
        assert_string_equal(sent, "BEGIN; write ?; SAVEPOINT dbm_1; write; RELEASE SAVEPOINT dbm_1; SAVEPOINT dbm_1; fail 23505; ROLLBACK TO SAVEPOINT dbm_1; "
                                  "RELEASE SAVEPOINT dbm_1; write 4; COMMIT; BEGIN; write; ROLLBACK; ");
        dbm_manager_free(mgr);
    }
}

/* One with init and close alone. */
static void test_bare(void **state) {
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_status rc = DBM_OK;
    (void)state;
    dbm_database *db = server_add(mgr, v, "bare", NULL);
    CHECK_STATUS(dbm_init_all(mgr), DBM_OK);
    assert_ptr_equal(dbm_db_native(db, "bare"), v);
    assert_null(dbm_db_native(db, "scripted"));
    CHECK_STATUS(dbm_last_error()->status, DBM_E_UNSUPPORTED);
    assert_non_null(strstr(dbm_last_error()->message, "'bare'"));
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_true(false);
    CHECK_STATUS(rc, DBM_E_UNSUPPORTED);
    DBM_FAILED(err) assert_non_null(strstr(err->message, "an adapter of type 'bare' can't connect"));
    CHECK_STATUS(dbm_exec(db, "write"), DBM_E_UNSUPPORTED);
    CHECK_STATUS(dbm_ping(db), DBM_E_UNSUPPORTED);
    assert_non_null(strstr(dbm_last_error()->message, "no connections to ping"));
    CHECK_STATUS(dbm_health(mgr, NULL, NULL), DBM_OK);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    assert_int_equal(server_count(v, ON_INIT), 1);
    assert_int_equal(server_count(v, ON_CLOSE), 1);
}

static void test_unsupported_is_named(void **state) {
    static const struct { int kind; const char *says; } cases[] = {
        { DBM_OP_EXECUTE, "can't execute statements" }, { DBM_OP_NATIVE, "can't hand out its native handle" },
        { DBM_OP_HOLD, "can't run a statement while the rows of another one are being read" }
    };
    const char *forms[] = { "scripted", "stepped" };
    char want[160];
    (void)state;
    for (int form = 0; form < 2; form++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            servers_made = 0;
            server *v = server_make();
            dbm_manager *mgr = server_manager(NULL);
            dbm_database *db = server_add(mgr, v, forms[form], NULL);
            dbm_status rc;
            plan(v, cases[i].kind, 0, REFUSE);
            DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
                if (cases[i].kind == DBM_OP_EXECUTE) dbm_exec(s, "write");
                if (cases[i].kind == DBM_OP_NATIVE) assert_null(dbm_native(s, forms[form]));
                if (cases[i].kind == DBM_OP_HOLD) DBM_EACH(s, row, "rows 3 x 1") if (dbm_exec(s, "write") != DBM_OK) break;
                CHECK_STATUS(dbm_status_of(s), DBM_E_UNSUPPORTED);
            }
            CHECK_STATUS(rc, DBM_E_UNSUPPORTED);
            (void)snprintf(want, sizeof want, "an adapter of type '%s' %s", forms[form], cases[i].says);
            DBM_FAILED(err) {
                if (strstr(err->message, want) == NULL) fprintf(stderr, "message: %s\n", err->message);
                assert_non_null(strstr(err->message, want));
            }
            assert_non_null(db);
            dbm_manager_free(mgr);
        }
    }
    /* Savepoints and transactions that an adapter does not have. */
    servers_made = 0;
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_status rc, part = DBM_OK;
    dbm_database *db = server_add(mgr, v, "sharing", NULL);
    DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) DBM_SAVEPOINT_RC(s, &part) assert_true(false);
    CHECK_STATUS(part, DBM_E_UNSUPPORTED);
    CHECK_STATUS(rc, DBM_E_UNSUPPORTED);
    assert_null(dbm_native(NULL, "sharing"));
    dbm_session s;
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
    assert_null(dbm_native(&s, "postgresql"));
    CHECK_STATUS(dbm_last_error()->status, DBM_E_UNSUPPORTED);
    assert_non_null(strstr(dbm_last_error()->message, "'sharing', not 'postgresql'"));
    (void)dbm_session_end(&s);
    dbm_manager_free(mgr);
}

/* One whose own language has question marks where it wants: nothing is rewritten, values go by position. */
static void test_native_placeholders(void **state) {
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "sharing", NULL);
    (void)state;
    CHECK_STATUS(dbm_exec(db, "write {name: $name, x: '?'} ?? :y", "Ada", 36), DBM_OK);
    assert_int_equal(v->value_count, 2);
    assert_string_equal(v->first_value, "Ada");
    bool seen = false;
    for (int i = 0; i < v->logged; i++) if (v->log[i].kind == DBM_OP_EXECUTE) { assert_string_equal(v->log[i].sql, "write {name: $name, x: '?'} ?? :y"); seen = true; }
    assert_true(seen);
    dbm_manager_free(mgr);
}

/* ---- the step loop --------------------------------------------------------------------------------------------------------------------- */

/* An adapter whose step is whatever the test puts there. Only EXECUTE is stepped through it; all else is done at once. */
static dbm_step (*the_step)(dbm_connection *c, dbm_op *op);
static int the_fd[2], steps, probes_open, probes_cancelled;
static int64_t stepped_at[64];
static dbm_disconnect probe_ended;

static dbm_status probe_init(dbm_database *db) { (void)db; return DBM_OK; }
static void probe_close(dbm_database *db) { (void)db; }
static void probe_disconnect(dbm_connection *c, dbm_disconnect how) { (void)c; probe_ended = how; probes_open--; }
static void probe_cancel(dbm_connection *c) { (void)c; probes_cancelled++; }
static dbm_status probe_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) { (void)c; (void)op; (void)i; *out = dbm_null(); return DBM_OK; }
static void probe_start(dbm_connection *c, dbm_op *op) {
    (void)c;
    (void)op;
    steps = 0;
}
static dbm_step probe_step(dbm_connection *c, dbm_op *op) {
    no_lock_is_held(c->db);
    if (op->kind == DBM_OP_EXECUTE) {
        CHECK(steps < 64);
        stepped_at[steps++] = virtual_clock(NULL);
        return the_step(c, op);
    }
    if (op->kind == DBM_OP_CONNECT) {
        probes_open++;
        dbm_adapter_set_data(c, the_fd);
    }
    op->status = op->kind == DBM_OP_CONNECT || op->kind == DBM_OP_BEGIN || op->kind == DBM_OP_COMMIT || op->kind == DBM_OP_ROLLBACK ? DBM_OK : DBM_E_UNSUPPORTED;
    return DBM_STEP_DONE;
}
static const dbm_adapter adapter_probe = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "probe", .init = probe_init, .close = probe_close, .disconnect = probe_disconnect,
    .cancel = probe_cancel, .column = probe_column, .start = probe_start, .step = probe_step
};

static dbm_step done(dbm_op *op, dbm_status st) {
    op->status = st;
    return DBM_STEP_DONE;
}

/* Runs one statement through the_step, on a worker, while the test plays the other end. */
typedef struct probe { dbm_manager *mgr; worker w; } probe;
static void job_probe(worker *w) {
    w->status = dbm_session_begin(w->db, &w->options, &w->s);
    if (w->status == DBM_OK) w->status = dbm_exec(&w->s, "write");
    w->error = *dbm_last_error();
    (void)dbm_session_end(&w->s);
}
static void probe_begin(probe *p, dbm_step (*step)(dbm_connection *, dbm_op *), int timeout_ms) {
    static dbm_config config;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, the_fd) == 0);
    CHECK(fcntl(the_fd[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(the_fd[1], F_SETFL, O_NONBLOCK) == 0);
    the_step = step;
    probes_cancelled = steps = 0;
    p->mgr = server_manager_virtual();
    CHECK_STATUS(dbm_register(p->mgr, &adapter_probe), DBM_OK);
    config.url = "probe://h/x";
    CHECK_STATUS(dbm_add_database(p->mgr, &config), DBM_OK);
    worker_start(&p->w, dbm_get(p->mgr, NULL));
    p->w.options.timeout_ms = timeout_ms;
    p->w.options.autocommit = true;
    worker_do(&p->w, job_probe);
}
static dbm_status probe_end(probe *p, int open) {
    dbm_status st = worker_wait(&p->w);
    worker_end(&p->w);
    assert_int_equal(stats_of(dbm_get(p->mgr, NULL)).open, open);
    dbm_manager_free(p->mgr);
    assert_int_equal(probes_open, 0);
    (void)close(the_fd[0]);
    if (the_fd[1] >= 0) (void)close(the_fd[1]);
    return st;
}

static dbm_step step_read(dbm_connection *c, dbm_op *op) {
    char byte;
    ssize_t n = read(the_fd[0], &byte, 1);
    if (n == 1) return done(op, DBM_OK);
    if (n == 0 || errno != EAGAIN) return done(op, dbm_adapter_fail(c, DBM_E_LOST, NULL, 0, "the end of the stream"));
    op->fd = the_fd[0];
    return DBM_STEP_READ;
}
static void test_step_reads(void **state) {
    probe p;
    (void)state;
    probe_begin(&p, step_read, 0);
    UNTIL(__atomic_load_n(&steps, __ATOMIC_RELAXED) == 1);
    pause_us(3000);
    clock_move_ms(100000); /* no deadline, no wake time: time means nothing */
    pause_us(3000);
    assert_int_equal(steps, 1);
    CHECK(write(the_fd[1], "x", 1) == 1);
    CHECK_STATUS(probe_end(&p, 1), DBM_OK);
    assert_int_equal(steps, 2);
}

/* Nothing can be written until the other end has read. */
static dbm_step step_write(dbm_connection *c, dbm_op *op) {
    static char block[65536];
    (void)c;
    if (steps == 1) while (send(the_fd[0], block, sizeof block, MSG_NOSIGNAL) > 0) {}
    else if (send(the_fd[0], block, 1, MSG_NOSIGNAL) == 1) return done(op, DBM_OK);
    op->fd = the_fd[0];
    return DBM_STEP_WRITE;
}
static void test_step_writes(void **state) {
    static char block[1 << 20];
    probe p;
    (void)state;
    probe_begin(&p, step_write, 0);
    UNTIL(__atomic_load_n(&steps, __ATOMIC_RELAXED) == 1);
    CHECK(write(the_fd[1], "x", 1) == 1); /* readable is not what it waits for */
    pause_us(3000);
    assert_int_equal(steps, 1);
    while (worker_busy(&p.w)) if (read(the_fd[1], block, sizeof block) <= 0) pause_us(100);
    CHECK_STATUS(probe_end(&p, 1), DBM_OK);
}

static dbm_step step_both(dbm_connection *c, dbm_op *op) {
    (void)c;
    if (steps == 3) return done(op, DBM_OK);
    op->fd = the_fd[0];
    return DBM_STEP_BOTH;
}
static void test_step_both(void **state) {
    probe p;
    (void)state;
    probe_begin(&p, step_both, 0); /* writable at once */
    CHECK_STATUS(probe_end(&p, 1), DBM_OK);
    assert_int_equal(steps, 3);
}

static dbm_step step_timer(dbm_connection *c, dbm_op *op) {
    static int64_t began;
    (void)c;
    if (steps == 1) began = virtual_clock(NULL);
    if (steps == 4) return done(op, DBM_OK);
    op->wake_us = began + steps * 10000;
    return DBM_STEP_TIMER;
}
static void test_step_timer(void **state) {
    probe p;
    (void)state;
    probe_begin(&p, step_timer, 0);
    for (int i = 1; i <= 3; i++) {
        UNTIL(__atomic_load_n(&steps, __ATOMIC_RELAXED) == i);
        clock_move_us(9999);
        pause_us(2500);
        assert_int_equal(__atomic_load_n(&steps, __ATOMIC_RELAXED), i);
        clock_move_us(1);
    }
    CHECK_STATUS(probe_end(&p, 1), DBM_OK);
}

/* A wake time beside a socket: stepped again when it comes, though nothing arrived. */
static dbm_step step_wake(dbm_connection *c, dbm_op *op) {
    if (steps == 2) return done(op, DBM_OK);
    (void)c;
    op->fd = the_fd[0];
    op->wake_us = virtual_clock(NULL) + 5000;
    return DBM_STEP_READ;
}
static void test_step_wakes(void **state) {
    probe p;
    (void)state;
    probe_begin(&p, step_wake, 1000);
    UNTIL(__atomic_load_n(&steps, __ATOMIC_RELAXED) == 1);
    clock_move_us(4999);
    pause_us(2500);
    assert_int_equal(__atomic_load_n(&steps, __ATOMIC_RELAXED), 1);
    clock_move_us(1);
    CHECK_STATUS(probe_end(&p, 1), DBM_OK);
    assert_int_equal(stepped_at[1] - stepped_at[0], 5000);
}

/* The deadline ends a wait for a socket, a timer that is set beyond it, and one that is always set in the past: it is cancelled then, and a second
 * later, when nothing came of that, the connection is given up. */
static dbm_step step_far_timer(dbm_connection *c, dbm_op *op) { (void)c; op->wake_us = INT64_MAX; return DBM_STEP_TIMER; }
static dbm_step step_past(dbm_connection *c, dbm_op *op) {
    (void)c;
    op->fd = the_fd[0];
    op->wake_us = 5;
    if (steps > 60) steps = 60;
    pause_us(500);
    return DBM_STEP_READ;
}
static void test_step_deadline(void **state) {
    dbm_step (*const all[])(dbm_connection *, dbm_op *) = { step_read, step_far_timer, step_past };
    (void)state;
    for (int i = 0; i < 3; i++) {
        probe p;
        probe_begin(&p, all[i], 50);
        UNTIL(__atomic_load_n(&steps, __ATOMIC_RELAXED) >= 1);
        clock_move_us(49000);
        pause_us(2500);
        assert_true(worker_busy(&p.w));
        clock_move_us(1000);
        UNTIL(__atomic_load_n(&probes_cancelled, __ATOMIC_RELAXED) == 1);
        clock_move_ms(990);
        pause_us(2500);
        assert_true(worker_busy(&p.w));
        clock_move_ms(20);
        CHECK_STATUS(probe_end(&p, 0), DBM_E_IN_DOUBT); /* a write in autocommit whose answer never came */
        assert_int_equal(probe_ended, DBM_DISCONNECT_BROKEN);
        assert_int_equal(probes_cancelled, 1);
        assert_non_null(strstr(p.w.error.message, "no answer before the deadline"));
    }
}

static void test_step_peer_dies(void **state) {
    probe p;
    (void)state;
    probe_begin(&p, step_read, 0);
    UNTIL(__atomic_load_n(&steps, __ATOMIC_RELAXED) == 1);
    (void)close(the_fd[1]);
    the_fd[1] = -1;
    CHECK_STATUS(probe_end(&p, 0), DBM_E_IN_DOUBT);
    assert_int_equal(probe_ended, DBM_DISCONNECT_BROKEN);
    assert_int_equal(steps, 2);
    assert_non_null(strstr(p.w.error.message, "the end of the stream"));
}

/* A descriptor that is none. */
static dbm_step step_bad_fd(dbm_connection *c, dbm_op *op) { (void)c; op->fd = 99999; return DBM_STEP_READ; }
static void test_step_bad_fd(void **state) {
    probe p;
    (void)state;
    probe_begin(&p, step_bad_fd, 0);
    CHECK_STATUS(probe_end(&p, 0), DBM_E_IN_DOUBT);
    assert_int_equal(steps, 1);
    assert_non_null(strstr(p.w.error.message, "the connection was lost"));
}

/* The whole protocol, written first, timers between. */
static void test_step_flow(void **state) {
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_status rc;
    int n = 0;
    (void)state;
    v->write_first = v->timer_first = true;
    dbm_database *db = server_add(mgr, v, "stepped", NULL);
    plan_delay(v, DBM_OP_FETCH, 2, 3000);
    DBM_SESSION_OPT(mgr, NULL, s, .status = &rc, .timeout_ms = 20000) {
        CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        DBM_EACH(s, row, "rows 4 x 3") {
            assert_int_equal(dbm_row_int(row, 2), n * 100 + 2);
            n++;
        }
    }
    CHECK_STATUS(rc, DBM_OK);
    assert_int_equal(n, 4);
    assert_int_equal(stats_of(db).open, 1);
    dbm_manager_free(mgr);
}

/* ---- failures in the adapter's words --------------------------------------------------------------------------------------------------- */

static void test_sqlstates(void **state) {
    static const struct { const char *state; dbm_status status; bool retryable; dbm_constraint constraint; } cases[] = {
        { "40001", DBM_E_SERIALIZATION, true, DBM_CONSTRAINT_NONE }, { "40P01", DBM_E_DEADLOCK, true, DBM_CONSTRAINT_NONE }, { "25006", DBM_E_READ_ONLY, false, DBM_CONSTRAINT_NONE },
        { "57014", DBM_E_CANCELLED, false, DBM_CONSTRAINT_NONE }, { "28P01", DBM_E_AUTH, false, DBM_CONSTRAINT_NONE }, { "22003", DBM_E_RANGE, false, DBM_CONSTRAINT_NONE },
        { "23505", DBM_E_CONSTRAINT, false, DBM_CONSTRAINT_UNIQUE }, { "23502", DBM_E_CONSTRAINT, false, DBM_CONSTRAINT_NOT_NULL },
        { "23503", DBM_E_CONSTRAINT, false, DBM_CONSTRAINT_FOREIGN_KEY }, { "23514", DBM_E_CONSTRAINT, false, DBM_CONSTRAINT_CHECK },
        { "23P01", DBM_E_CONSTRAINT, false, DBM_CONSTRAINT_EXCLUSION }, { "23999", DBM_E_CONSTRAINT, false, DBM_CONSTRAINT_OTHER }, { "42601", DBM_E_SQL, false, DBM_CONSTRAINT_NONE }
    };
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", NULL);
    char sql[32];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(sql, sizeof sql, "fail %s", cases[i].state);
        CHECK_STATUS(dbm_exec(db, sql), cases[i].status);
        const dbm_error_info *e = dbm_last_error();
        assert_string_equal(e->sqlstate, cases[i].state);
        assert_int_equal(e->retryable, cases[i].retryable);
        assert_int_equal(e->constraint, cases[i].constraint);
        assert_int_equal(e->native_code, 7);
        assert_int_equal(e->stage, DBM_STAGE_STATEMENT);
        assert_string_equal(e->database, "default");
        assert_non_null(strstr(e->message, "the statement failed"));
        assert_non_null(strstr(e->message, sql));
        assert_non_null(strstr(e->site, "test_adapter.c:"));
    }
    /* A status that the adapter gives itself means what it means. */
    static const dbm_status worth[] = { DBM_E_SERIALIZATION, DBM_E_DEADLOCK };
    for (size_t i = 0; i < 2; i++) {
        plan_fail(v, DBM_OP_EXECUTE, 1, worth[i], "");
        CHECK_STATUS(dbm_exec(db, "write"), worth[i]);
        assert_true(dbm_last_error()->retryable);
    }
    dbm_manager_free(mgr);
}

static dbm_status ours(dbm_connection *c, const char *sqlstate, int native, bool *retryable) {
    (void)c;
    (void)sqlstate;
    CHECK(native == 7);
    *retryable = true;
    return DBM_E_LIMIT;
}
static void test_classify(void **state) {
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_adapter a = adapter_scripted;
    dbm_config config;
    (void)state;
    a.type = "classed";
    a.classify = ours;
    CHECK_STATUS(dbm_register(mgr, &a), DBM_OK);
    memset(&config, 0, sizeof config);
    dbm_database *db = server_add(mgr, v, "classed", &config);
    CHECK_STATUS(dbm_exec(db, "fail 23505"), DBM_E_LIMIT);
    assert_true(dbm_last_error()->retryable);
    dbm_manager_free(mgr);
}

/* A status without a word is not explained by what failed before it. */
static dbm_status mute(dbm_connection *c, dbm_op *op) {
    if (op->kind == DBM_OP_EXECUTE && strcmp(op->sql, "mute") == 0) return DBM_E_SQL;
    return on_operation(c, op);
}
static void test_mute(void **state) {
    server *v = server_make(), *u = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_adapter a = adapter_scripted;
    dbm_config config;
    (void)state;
    a.type = "mute";
    a.execute = mute;
    CHECK_STATUS(dbm_register(mgr, &a), DBM_OK);
    memset(&config, 0, sizeof config);
    config.name = "other";
    dbm_database *other = server_add(mgr, u, "scripted", &config);
    config.name = "quiet";
    config.url = NULL;
    dbm_database *db = server_add(mgr, v, "mute", &config);
    CHECK_STATUS(dbm_exec(other, "fail 42601"), DBM_E_SQL);
    CHECK_STATUS(dbm_exec(db, "mute"), DBM_E_SQL);
    assert_string_equal(dbm_last_error()->database, "quiet");
    assert_string_equal(dbm_last_error()->sqlstate, "");
    assert_null(strstr(dbm_last_error()->message, "the statement failed"));
    assert_non_null(strstr(dbm_last_error()->message, "adapter 'mute'"));
    dbm_manager_free(mgr);
}

/* ---- secrets ------------------------------------------------------------------------------------------------------------------------------ */

/* The URL has s3cr%65t-pass; the driver may say it as it was written, decoded, or encoded in another way. */
static const char *const spoken[] = { "s3cret-pass", "s3cr%65t-pass", "s3cr%65t%2Dpass", "s3cret%2dpass" };

static void hidden(const char *text) {
    for (size_t i = 0; i < sizeof spoken / sizeof spoken[0]; i++) {
        if (strstr(text, spoken[i]) != NULL) fprintf(stderr, "in the clear: %s\n", text);
        assert_null(strstr(text, spoken[i]));
    }
}

static dbm_event_id events_seen[64];
static int event_count;
static void event_hook(void *ud, const dbm_event *e) {
    (void)ud;
    CHECK(event_count < 64);
    events_seen[event_count++] = e->id;
    for (size_t i = 0; i < sizeof spoken / sizeof spoken[0]; i++) CHECK(strstr(e->text, spoken[i]) == NULL);
}
static dbm_status chatty(dbm_connection *c, dbm_op *op) {
    char text[200];
    int i;
    if (op->kind == DBM_OP_EXECUTE && sscanf(op->sql, "talk %d", &i) == 1) {
        (void)snprintf(text, sizeof text, "user app with %s, or postgres://app:%s@db", spoken[i], spoken[i]);
        dbm_adapter_notice(c, text);
        (void)dbm_adapter_fail(c, DBM_E_CONSTRAINT, "23505", 7, text);
        dbm_adapter_fail_constraint(c, DBM_CONSTRAINT_UNIQUE, spoken[i]);
        return DBM_E_CONSTRAINT;
    }
    return on_operation(c, op);
}
static void test_secrets(void **state) {
    server *v = server_make();
    dbm_options options;
    dbm_adapter a = adapter_scripted;
    (void)state;
    memset(&options, 0, sizeof options);
    options.event = event_hook;
    event_count = 0;
    dbm_manager *mgr = server_manager(&options);
    a.type = "chatty";
    a.execute = chatty;
    CHECK_STATUS(dbm_register(mgr, &a), DBM_OK);
    dbm_database *db = server_add(mgr, v, "chatty", NULL);
    for (int i = 0; i < (int)(sizeof spoken / sizeof spoken[0]); i++) {
        char sql[32];
        (void)snprintf(sql, sizeof sql, "talk %d", i);
        CHECK_STATUS(dbm_exec(db, sql), DBM_E_CONSTRAINT);
        hidden(dbm_last_error()->message);
        hidden(dbm_last_error()->constraint_name);
        assert_non_null(strstr(dbm_last_error()->message, "user app with ***"));
        /* at the commit, where nothing is added to the driver's words */
        dbm_status rc;
        plan_fail_text(v, DBM_OP_COMMIT, 1, DBM_E_SQL, spoken[i]);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        CHECK_STATUS(rc, DBM_E_SQL);
        DBM_FAILED(err) hidden(err->message);
        /* a connect that fails: its message, the log, what a waiter hears */
        server_kill(v, 0);
        plan_fail_text(v, DBM_OP_CONNECT, 1, DBM_E_AUTH, spoken[i]);
        CHECK_STATUS(dbm_exec(db, "rows 1 x 1"), DBM_E_AUTH);
        hidden(dbm_last_error()->message);
        clock_move_ms(1000);
        UNTIL(dbm_exec(db, "rows 1 x 1") == DBM_OK); /* the pause is over */
        /* a statement that holds it, quoted in its own failure */
        char statement[100];
        (void)snprintf(statement, sizeof statement, "alter user app password '%s'", spoken[i]);
        CHECK_STATUS(dbm_exec(db, statement), DBM_E_SQL);
        hidden(dbm_last_error()->message);
    }
    hidden(test_log_text(&the_log));
    hidden(dbm_database_config(db)->url);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_NOTICE), 4);
    assert_true(event_count > 8);
    dbm_manager_free(mgr);
    /* init has no connection yet */
    servers_made = 0;
    v = server_make();
    mgr = server_manager(NULL);
    server_configure(mgr, v, "scripted", NULL);
    plan_fail_text(v, ON_INIT, 1, DBM_E_CONFIG, "bad token s3cret-pass");
    assert_null(dbm_get(mgr, NULL));
    CHECK_STATUS(dbm_last_error()->status, DBM_E_CONFIG);
    hidden(dbm_last_error()->message);
    assert_non_null(strstr(dbm_last_error()->message, "bad token ***"));
    assert_null(dbm_get(mgr, NULL)); /* a configuration does not get better by itself */
    assert_int_equal(server_count(v, ON_INIT), 1);
    assert_int_equal(server_count(v, ON_CLOSE), 0);
    dbm_manager_free(mgr);
}

/* ---- credentials ---------------------------------------------------------------------------------------------------------------------------- */

static int asked;
static dbm_status give_credentials(void *ud, dbm_credentials *out) {
    static char user[32], password[32];
    if (ud != NULL && *(dbm_status *)ud != DBM_OK) return *(dbm_status *)ud;
    asked++;
    (void)snprintf(user, sizeof user, "user-%d", asked);
    (void)snprintf(password, sizeof password, "token-number-%d", asked);
    out->user = user;
    out->password = password;
    return DBM_OK;
}
static void test_credentials(void **state) {
    server *v = server_make();
    dbm_config config;
    dbm_options options;
    test_heap heap = { 0 };
    dbm_status answer = DBM_OK;
    dbm_session s[3];
    (void)state;
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    options.clock = virtual_clock;
    v->clock = virtual_clock;
    dbm_manager *mgr = server_manager(&options);
    asked = 0;
    v->asks_credentials = true;
    memset(&config, 0, sizeof config);
    config.credentials = give_credentials;
    config.credentials_ud = &answer;
    dbm_database *db = server_add(mgr, v, "stepped", &config);
    for (int i = 0; i < 3; i++) { /* asked at each physical connect, and only then */
        char want[32];
        CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
        assert_int_equal(asked, i + 1);
        (void)snprintf(want, sizeof want, "user-%d", i + 1);
        assert_string_equal(v->user, want);
        (void)snprintf(want, sizeof want, "token-number-%d", i + 1);
        assert_string_equal(v->password, want);
    }
    for (int i = 0; i < 3; i++) (void)dbm_session_end(&s[i]);
    CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
    assert_int_equal(asked, 3);
    /* What was given is a secret from then on. */
    plan_fail_text(v, DBM_OP_EXECUTE, 1, DBM_E_SQL, "token-number-3 is not liked");
    CHECK_STATUS(dbm_exec(db, "rows 1 x 1"), DBM_E_SQL);
    assert_null(strstr(dbm_last_error()->message, "token-number"));
    assert_non_null(strstr(dbm_last_error()->message, "is not liked"));
    /* One that fails fails the connect; nothing of a connect that fails is kept. */
    server_kill(v, 0);
    answer = DBM_E_AUTH;
    clock_move_ms(5);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s[0]), DBM_E_AUTH);
    assert_non_null(strstr(dbm_last_error()->message, "credential callback"));
    answer = DBM_OK;
    clock_move_ms(1000);
    plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_AUTH, "28P01");
    CHECK_STATUS(dbm_session_begin(db, NULL, &s[0]), DBM_E_AUTH);
    dbm_manager_free(mgr);
    assert_int_equal(test_heap_live(&heap), 0);
}

/* Without a callback it is the URL's, decoded. */
static void test_credentials_of_url(void **state) {
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    (void)state;
    v->asks_credentials = true;
    dbm_database *db = server_add(mgr, v, "scripted", NULL);
    CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
    assert_string_equal(v->user, "app");
    assert_string_equal(v->password, "s3cret-pass");
    dbm_manager_free(mgr);
}

/* The same when the connect itself fails after the callback gave them. */
static dbm_status connect_refused(dbm_connection *c, dbm_op *op) {
    dbm_credentials who;
    (void)op;
    CHECK_STATUS(dbm_adapter_credentials(c, &who), DBM_OK);
    CHECK(strncmp(who.password, "token-number-", 13) == 0);
    return dbm_adapter_fail(c, DBM_E_AUTH, "28P01", 0, who.password);
}
static void test_credentials_are_not_kept(void **state) {
    server *v = server_make();
    dbm_adapter a = adapter_scripted;
    dbm_config config;
    dbm_options options;
    test_heap heap = { 0 };
    (void)state;
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    options.clock = virtual_clock;
    dbm_manager *mgr = server_manager(&options);
    a.type = "refusing";
    a.connect = connect_refused;
    CHECK_STATUS(dbm_register(mgr, &a), DBM_OK);
    memset(&config, 0, sizeof config);
    config.credentials = give_credentials;
    dbm_database *db = server_add(mgr, v, "refusing", &config);
    dbm_session s;
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_E_AUTH);
    assert_null(strstr(dbm_last_error()->message, "token-number"));
    assert_null(dbm__pool_slot(db->pool, 0)->connection.password);
    dbm_manager_free(mgr);
    assert_int_equal(test_heap_live(&heap), 0);
}

/* ---- options ------------------------------------------------------------------------------------------------------------------------------------ */

static void test_options(void **state) {
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    static const dbm_option given[] = { { "mood", "good" }, { "connect_args.app", "tests" } };
    dbm_config config;
    (void)state;
    memset(&config, 0, sizeof config);
    config.url = "scripted://h/0?mood=bad&extra=1";
    config.options = given;
    config.option_count = 2;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    assert_string_equal(dbm_adapter_option(db, "mood"), "good"); /* the key wins over the URL */
    assert_string_equal(dbm_adapter_option(db, "app"), "tests");
    assert_string_equal(dbm_adapter_option(db, "extra"), "1");
    assert_null(dbm_adapter_option(db, "token"));
    assert_string_equal(dbm_adapter_url(db)->scheme, "scripted");
    assert_int_equal(dbm_adapter_config(db)->pool.size, 5);
    void *block = dbm_adapter_alloc(db, 10);
    block = dbm_adapter_resize(db, block, 1000);
    assert_non_null(block);
    dbm_adapter_free(db, block);
    assert_true(dbm_adapter_clock(db) > 0);
    dbm_manager_free(mgr);
}

static void settled(dbm_database *db, int open, int idle, int out) {
    dbm_stats_info s = stats_of(db);
    assert_int_equal(s.open, open);
    assert_int_equal(s.idle, idle);
    assert_int_equal(s.out, out);
}

/* ---- cancel and silence ----------------------------------------------------------------------------------------------------------- */

static dbm_config one_connection(void) {
    dbm_config config;
    memset(&config, 0, sizeof config);
    config.pool.size = 1;
    config.pool.max_overflow = -1;
    return config;
}

/* At the deadline the server is told to stop; when it obeys, the connection stays, and the status is the deadline's. */
static void test_deadline_obeyed(void **state) {
    (void)state;
    server *v = server_make();
    dbm_config config = one_connection();
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_add(mgr, v, "stepped", &config);
    worker w;
    worker_start(&w, db);
    w.options.timeout_ms = 100;
    CHECK_STATUS(worker_run(&w, job_begin), DBM_OK);
    plan(v, DBM_OP_EXECUTE, 1, DROP);
    w.sql = "write";
    worker_do(&w, job_exec);
    CHECK_STATUS(worker_wait_moving(&w, 2), DBM_E_TIMEOUT);
    assert_non_null(strstr(w.error.message, "the deadline passed, and the statement was cancelled"));
    assert_string_equal(w.error.sqlstate, "57014");
    assert_int_equal(server_count(v, ON_CANCEL), 1);
    CHECK_STATUS(worker_run(&w, job_end), DBM_E_TIMEOUT);
    settled(db, 1, 1, 0);
    worker_end(&w);
    dbm_manager_free(mgr);
}

/* A dbm_cancel that the server does not hear ends the session all the same, within a second or two. */
static void test_cancel_unheard(void **state) {
    (void)state;
    server *v = server_make();
    dbm_config config = one_connection();
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "stepped", &config);
    worker w;
    v->deaf = true;
    worker_start(&w, db);
    CHECK_STATUS(worker_run(&w, job_begin), DBM_OK);
    dbm_session copy = w.s;
    plan(v, DBM_OP_EXECUTE, 1, DROP);
    w.sql = "write";
    worker_do(&w, job_exec);
    UNTIL(server_count(v, DBM_OP_EXECUTE) == 1);
    int64_t began = real_us();
    CHECK_STATUS(dbm_cancel(&copy), DBM_OK);
    CHECK_STATUS(worker_wait(&w), DBM_E_CANCELLED);
    assert_true(real_us() - began < 4000000);
    assert_non_null(strstr(w.error.message, "the server did not answer"));
    CHECK_STATUS(worker_run(&w, job_end), DBM_E_CANCELLED);
    settled(db, 0, 0, 0);
    worker_end(&w);
    dbm_manager_free(mgr);
}

static void test_socket_timeout(void **state) {
    (void)state;
    server *v = server_make();
    dbm_config config = one_connection();
    dbm_manager *mgr;
    dbm_database *db;
    worker w;
    config.socket_timeout_ms = 500;
    mgr = server_manager_virtual();
    db = server_add(mgr, v, "stepped", &config);
    worker_start(&w, db);
    CHECK_STATUS(worker_run(&w, job_begin), DBM_OK);
    plan(v, DBM_OP_EXECUTE, 1, DROP);
    w.sql = "write";
    worker_do(&w, job_exec);
    CHECK_STATUS(worker_wait_moving(&w, 2), DBM_E_TIMEOUT);
    assert_non_null(strstr(w.error.message, "socket_timeout"));
    assert_int_equal(server_count(v, ON_CANCEL), 0);
    CHECK_STATUS(worker_run(&w, job_end), DBM_E_TIMEOUT);
    settled(db, 0, 0, 0);
    worker_end(&w);
    dbm_manager_free(mgr);
}

/* ---- transactions that end by themselves -------------------------------------------------------------------------------------------- */

static void test_implicit_commit(void **state) {
    (void)state;
    const char *forms[] = { "scripted", "stepped" };
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_manager *mgr = server_manager(NULL);
        dbm_database *db = server_add(mgr, v, forms[form], NULL);
        dbm_status rc;
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) { /* nothing had been written: no harm is done */
            CHECK_STATUS(dbm_exec(s, "ddl"), DBM_OK);
            CHECK_STATUS(dbm_exec(s, "ddl"), DBM_OK);
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        }
        CHECK_STATUS(rc, DBM_OK);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) { /* it has done its work, so nothing is dropped */
            CHECK_STATUS(dbm_exec(s, "ddl"), DBM_OK);
            break;
        }
        CHECK_STATUS(rc, DBM_ROLLED_BACK);
        assert_int_equal(v->commits, 1);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            CHECK_STATUS(dbm_exec(s, "ddl"), DBM_E_IMPLICIT_COMMIT);
            CHECK_STATUS(dbm_exec(s, "write"), DBM_E_IMPLICIT_COMMIT);
        }
        CHECK_STATUS(rc, DBM_E_IMPLICIT_COMMIT);
        assert_int_equal(v->rollbacks, 1);
        settled(db, 1, 1, 0);
        dbm_manager_free(mgr);
    }
}

/* ---- commands of the backend's own --------------------------------------------------------------------------------------------------- */

static dbm_status command(dbm_session *on, const char *text, bool writes, dbm_rows **rows) {
    dbm_value v = dbm_text(text);
    v.as.text.size = strlen(text);
    return dbm__command(on, "here.c:1", &v, 1, writes, rows);
}

static void test_commands(void **state) {
    (void)state;
    const char *forms[] = { "scripted", "stepped", "sharing" };
    for (int form = 0; form < 3; form++) {
        server *v = server_make();
        dbm_manager *mgr = server_manager(NULL);
        dbm_database *db = server_add(mgr, v, forms[form], NULL);
        dbm_session on_db = dbm__database_target(db);
        dbm_status rc;
        dbm_rows *rows;
        dbm_row *row;
        int n = 0;
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(command(s, "rows 3 x 2", false, &rows), DBM_OK);
            while (dbm_rows_next(rows, &row) == DBM_OK) n += (int)dbm_row_int(row, 1);
            dbm_rows_end(rows);
            CHECK_STATUS(command(s, "write", true, &rows), DBM_OK);
            CHECK_STATUS(dbm_rows_next(rows, &row), DBM_DONE);
            dbm_rows_end(rows);
            assert_int_equal(dbm_affected(s), 1);
        }
        CHECK_STATUS(rc, DBM_OK);
        assert_int_equal(n, 1 + 101 + 201);
        assert_int_equal(v->commits, form == 2 ? 0 : 1);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(command(s, "fail 23505", true, &rows), DBM_E_CONSTRAINT);
            assert_null(rows);
            CHECK_STATUS(command(s, "write", true, &rows), DBM_E_CONSTRAINT); /* it sticks */
        }
        CHECK_STATUS(rc, DBM_E_CONSTRAINT);
        CHECK_STATUS(command(&on_db, "rows 2 x 1", false, &rows), DBM_OK); /* on a database the rows hold the connection */
        assert_int_equal(stats_of(db).out, 1);
        dbm_rows_end(rows);
        settled(db, 1, 1, 0);
        if (form != 2) { /* a reading one on a dead connection is sent again on another, a writing one is in doubt */
            plan(v, DBM_OP_COMMAND, 1, LOSE);
            CHECK_STATUS(command(&on_db, "rows 2 x 1", false, &rows), DBM_OK);
            dbm_rows_end(rows);
            plan(v, DBM_OP_COMMAND, 1, LOSE);
            CHECK_STATUS(command(&on_db, "write", true, &rows), DBM_E_IN_DOUBT);
        }
        DBM_SESSION_OPT(mgr, NULL, s, .read_only = true) CHECK_STATUS(command(s, "write", true, &rows), DBM_E_READ_ONLY);
        dbm_manager_free(mgr);
    }
}

int main(void) {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_register), T(test_words_of_transactions), T(test_bare), T(test_unsupported_is_named), T(test_native_placeholders), T(test_step_reads),
        T(test_step_writes), T(test_step_both), T(test_step_timer), T(test_step_wakes), T(test_step_deadline), T(test_step_peer_dies), T(test_step_bad_fd),
        T(test_deadline_obeyed), T(test_cancel_unheard), T(test_socket_timeout), T(test_implicit_commit), T(test_commands),
        T(test_step_flow), T(test_sqlstates), T(test_classify), T(test_mute), T(test_secrets), T(test_credentials), T(test_credentials_of_url),
        T(test_credentials_are_not_kept), T(test_options)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
