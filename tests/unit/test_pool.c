/* pool/: checkout in order, deadlines, failures, liveness, upkeep, deadlocks, handles, fork, drain; over the scripted server. */
#include "scripted.h"
#include <sys/wait.h>
#include <signal.h>

#if defined(__SANITIZE_THREAD__)
#  define SLOW 10
#elif defined(__has_feature)
#  if __has_feature(thread_sanitizer)
#    define SLOW 10
#  else
#    define SLOW 1
#  endif
#else
#  define SLOW 1
#endif

static int tear_down(void **state) {
    (void)state;
    return server_end_all();
}

static dbm_config pool_of(int size, int overflow) {
    dbm_config c;
    memset(&c, 0, sizeof c);
    c.pool.size = size;
    c.pool.max_overflow = overflow == 0 ? -1 : overflow;
    return c;
}

static int waiting(dbm_database *db) { return stats_of(db).waiting; }

/* What must be true whenever nobody is inside of a call. */
static void settled(dbm_database *db, int open, int idle, int out) {
    dbm_stats_info s = stats_of(db);
    assert_int_equal(s.open, open);
    assert_int_equal(s.idle, idle);
    assert_int_equal(s.out, out);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.connecting, 0);
}

/* ---- the queue --------------------------------------------------------------------------------------------------------------- */

enum { WAITERS = 64 };
static int order[WAITERS], served;

static void job_queue(worker *w) {
    w->status = dbm_session_begin(w->db, &w->options, &w->s);
    if (w->status != DBM_OK) {
        w->error = *dbm_last_error();
        return;
    }
    order[served++] = w->number; /* one connection is in turns, so this needs no lock */
    if (w->sql != NULL) CHECK_STATUS(dbm_exec(&w->s, w->sql), DBM_OK);
    (void)dbm_rollback(&w->s);
    (void)dbm_session_end(&w->s);
}

/* 64 wait for the one connection that moves (the other one of the pool stays out, so that failed connects leave them waiting). They are served as
 * they came; some give up before; now and then the connection is lost, and the connect that replaces it fails at first. */
static void test_fifo(void **state) {
    enum { ROUNDS = 1000 / SLOW };
    static worker workers[WAITERS];
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_session a, b;
    (void)state;
    config.pool.recycle_ms = -1;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
    for (int i = 0; i < WAITERS; i++) {
        worker_start(&workers[i], db);
        workers[i].number = i;
    }
    uint32_t random = 1;
    for (int round = 0; round < ROUNDS; round++) {
        bool lost = round % 10 == 3, some_give_up = round % 5 == 2;
        int given_up = 0, expected[WAITERS], count = 0;
        served = 0;
        CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
        for (int i = 0; i < WAITERS; i++) {
            random = random * 1664525u + 1013904223u;
            bool gives_up = some_give_up && random >> 30 == 0;
            workers[i].options.timeout_ms = gives_up ? 20 : 0;
            workers[i].sql = random >> 28 & 1 ? "write" : NULL;
            if (gives_up) given_up++;
            else expected[count++] = i;
            worker_do(&workers[i], job_queue);
            UNTIL(waiting(db) == i + 1);
        }
        if (given_up != 0) {
            clock_move_ms(25);
            UNTIL(waiting(db) == WAITERS - given_up);
        }
        if (lost) {
            CHECK_STATUS(dbm_exec(&a, "write"), DBM_OK);
            plan(v, DBM_OP_EXECUTE, 1, LOSE);
            plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "08001");
            plan_fail(v, DBM_OP_CONNECT, 2, DBM_E_CONNECT, "08001");
            CHECK_STATUS(dbm_exec(&a, "write"), DBM_E_LOST);
        }
        (void)dbm_session_end(&a);
        for (int i = 0; i < WAITERS; i++) {
            while (lost && worker_busy(&workers[i])) {
                clock_move_ms(10);
                pause_us(500);
            }
            dbm_status st = worker_wait(&workers[i]);
            CHECK_STATUS(st, workers[i].options.timeout_ms != 0 ? DBM_E_TIMEOUT : DBM_OK);
        }
        assert_int_equal(served, count);
        assert_memory_equal(order, expected, sizeof order[0] * (size_t)count);
        if (lost) plan_clear(v);
    }
    (void)dbm_session_end(&b);
    settled(db, 2, 2, 0);
    for (int i = 0; i < WAITERS; i++) worker_end(&workers[i]);
    assert_int_equal(v->live_most, 2);
    dbm_manager_free(mgr);
}

/* Nobody who comes later goes first, not even while a connection is on its way from one to the other. */
static void test_no_overtaking(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    worker w;
    (void)state;
    worker_start(&w, db);
    for (int i = 0; i < 2000 / SLOW; i++) {
        dbm_session s;
        CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
        worker_do(&w, job_begin);
        UNTIL(waiting(db) == 1);
        (void)dbm_session_end(&s);
        dbm_session_options quick = { .timeout_ms = 1 };
        dbm_status st = dbm_session_begin(db, &quick, &s); /* w was first and keeps it: this one must wait */
        CHECK_STATUS(st, DBM_E_TIMEOUT);
        CHECK_STATUS(worker_wait(&w), DBM_OK);
        CHECK_STATUS(worker_run(&w, job_end), DBM_OK);
    }
    worker_end(&w);
    dbm_manager_free(mgr);
}

/* Two connects at once, and never more connections than size and overflow. */
static void test_connects(void **state) {
    enum { N = 16 };
    static worker workers[N];
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(3, 4);
        dbm_manager *mgr = server_manager(NULL);
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        plan_delay(v, DBM_OP_CONNECT, 0, 3000);
        for (int i = 0; i < N; i++) {
            worker_start(&workers[i], db);
            worker_do(&workers[i], job_begin);
        }
        UNTIL(stats_of(db).out == 7);
        UNTIL(waiting(db) == N - 7);
        assert_int_equal(stats_of(db).open, 7);
        assert_int_equal(v->connecting_most, 2);
        int left = N;
        while (left > 0) {
            for (int i = 0; i < N; i++) {
                if (workers[i].number == 0 && !worker_busy(&workers[i])) {
                    CHECK_STATUS(worker_wait(&workers[i]), DBM_OK);
                    worker_run(&workers[i], job_end);
                    workers[i].number = 1;
                    left--;
                }
            }
        }
        assert_int_equal(v->live_most, 7);
        assert_int_equal(server_count(v, DBM_OP_CONNECT), 7); /* handed over, not closed and opened */
        settled(db, 3, 3, 0);                                    /* overflow is closed when nobody waits */
        assert_int_equal(server_live(v), 3);
        for (int i = 0; i < N; i++) worker_end(&workers[i]);
        dbm_manager_free(mgr);
    }
}

/* ---- time ------------------------------------------------------------------------------------------------------------------- */

static void test_timeout_message(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 1);
    dbm_manager *mgr = server_manager_virtual();
    dbm_session a, b;
    worker w;
    char want[160];
    (void)state;
    config.pool.timeout_ms = 2500;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    const char *site_a = DBM__SITE; CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    const char *site_b = DBM__SITE; CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
    plan_fail_text(v, DBM_OP_CONNECT, 0, DBM_E_CONNECT, "db.example:5432 refuses; password=s3cret-pass");
    worker_start(&w, db);
    worker_do(&w, job_begin);
    UNTIL(waiting(db) == 1);
    clock_move_ms(1000);
    UNTIL(server_count(v, DBM_OP_CONNECT) >= 4); /* tried again */
    assert_true(worker_busy(&w));
    CHECK_STATUS(worker_wait_moving(&w, 50), DBM_E_POOL_TIMEOUT);
    const char *m = w.error.message;
    assert_non_null(strstr(m, "database 'default'"));
    assert_non_null(strstr(m, "2 of 3 are out"));
    assert_non_null(strstr(m, "0 connecting"));
    (void)snprintf(want, sizeof want, "%s for at least ", site_a);
    assert_non_null(strstr(m, want));
    assert_non_null(strstr(m, site_b));
    assert_non_null(strstr(m, "the last connect failed: "));
    assert_non_null(strstr(m, "db.example:5432 refuses"));
    assert_null(strstr(m, "s3cret"));
    assert_true(w.error.retryable);
    assert_int_equal(w.error.stage, DBM_STAGE_CHECKOUT);
    assert_non_null(strstr(w.error.site, "scripted.h:"));
    assert_string_equal(w.error.database, "default");
    assert_int_equal(stats_of(db).timeouts, 1);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_POOL_TIMEOUT), 1);
    /* The caller's own limit has another status. */
    plan_clear(v);
    plan_fail(v, DBM_OP_CONNECT, 0, DBM_E_CONNECT, "08001");
    w.options.timeout_ms = 200;
    worker_do(&w, job_begin);
    CHECK_STATUS(worker_wait_moving(&w, 5), DBM_E_TIMEOUT);
    assert_non_null(strstr(w.error.message, "timeout_ms"));
    (void)dbm_session_end(&a);
    (void)dbm_session_end(&b);
    settled(db, 2, 2, 0);
    worker_end(&w);
    dbm_manager_free(mgr);
}

/* One deadline for the wait, the connect and what is run on a new connection. */
static void test_one_deadline(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 0);
        dbm_manager *mgr = server_manager_virtual();
        dbm_session a;
        worker w;
        config.pool.timeout_ms = 1000;
        config.connect_timeout_ms = 700;
        config.init_sql = "set a";
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        int64_t began = virtual_clock(NULL);
        /* Nothing to wait for: a connect has its own time-out. */
        CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
        assert_int_equal(v->log[1].kind, DBM_OP_CONNECT);
        assert_int_equal(v->log[1].deadline_us, began + 700000);
        /* Half of the time has passed in the queue when the connection breaks. */
        worker_start(&w, db);
        began = virtual_clock(NULL);
        worker_do(&w, job_begin);
        UNTIL(waiting(db) == 1);
        clock_move_ms(600);
        CHECK_STATUS(dbm_exec(&a, "write"), DBM_OK);
        server_kill(v, 1);
        CHECK_STATUS(dbm_exec(&a, "write"), DBM_E_LOST);
        log_clear(v);
        (void)dbm_session_end(&a);
        CHECK_STATUS(worker_wait(&w), DBM_OK);
        int seen = 0;
        for (int i = 0; i < v->logged; i++) {
            if (v->log[i].connection != 2 || v->log[i].kind == DBM_OP_UNPREPARE || v->log[i].kind == ON_STEP) continue;
            if (v->log[i].kind != DBM_OP_CONNECT && v->log[i].kind != DBM_OP_EXECUTE && v->log[i].kind != DBM_OP_PREPARE) continue;
            assert_int_equal(v->log[i].deadline_us, began + 1000000);
            seen++;
        }
        assert_int_equal(seen, 3);
        CHECK_STATUS(worker_run(&w, job_end), DBM_OK);
        worker_end(&w);
        dbm_manager_free(mgr);
    }
}

static void test_connect_without_answer(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 0);
        dbm_manager *mgr = server_manager_virtual();
        worker w;
        config.connect_timeout_ms = 700;
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        plan(v, DBM_OP_CONNECT, 1, DROP);
        worker_start(&w, db);
        int64_t began = virtual_clock(NULL);
        worker_do(&w, job_begin);
        CHECK_STATUS(worker_wait_moving(&w, 1), DBM_E_TIMEOUT);
        assert_true(virtual_clock(NULL) - began >= 700000);
        assert_true(virtual_clock(NULL) - began < 1500000);
        assert_int_equal(server_live(v), 0); /* the half-made connection is not forgotten */
        assert_int_equal(w.error.stage, DBM_STAGE_CONNECT);
        settled(db, 0, 0, 0);
        clock_move_ms(60);
        CHECK_STATUS(worker_run(&w, job_begin), DBM_OK);
        CHECK_STATUS(worker_run(&w, job_end), DBM_OK);
        worker_end(&w);
        dbm_manager_free(mgr);
    }
}

/* pool_timeout -1: nobody is waited for, but a connection that must be made is made. */
static void test_no_waiting(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 0);
        dbm_manager *mgr = server_manager(NULL);
        dbm_session a, b;
        config.pool.timeout_ms = -1;
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        plan_delay(v, DBM_OP_CONNECT, 1, 5000);
        CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
        CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_E_POOL_TIMEOUT);
        (void)dbm_session_end(&a);
        CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
        (void)dbm_session_end(&a);
        dbm_manager_free(mgr);
    }
}

/* ---- connects that fail -------------------------------------------------------------------------------------------------------- */

static void test_fatal(void **state) {
    enum { N = 5 };
    static worker workers[N];
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_session a;
    (void)state;
    CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    plan_entry *e = plan(v, DBM_OP_CONNECT, 1, BLOCK);
    e->status = DBM_E_AUTH;
    memcpy(e->sqlstate, "28P01", 6);
    for (int i = 0; i < N; i++) worker_start(&workers[i], db);
    worker_do(&workers[0], job_begin);
    server_wait_blocked(v, 1);
    for (int i = 1; i < N; i++) worker_do(&workers[i], job_begin);
    UNTIL(waiting(db) == N - 1);
    server_release(v);
    for (int i = 0; i < N; i++) {
        CHECK_STATUS(worker_wait(&workers[i]), DBM_E_AUTH);
        assert_string_equal(workers[i].error.sqlstate, "28P01");
        assert_non_null(strstr(workers[i].error.message, "as planned"));
        assert_non_null(strstr(workers[i].error.site, "scripted.h:"));
        assert_false(workers[i].error.retryable);
    }
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 2);
    assert_false(stats_of(db).down); /* one connection lives */
    (void)dbm_session_end(&a);
    settled(db, 1, 1, 0);
    for (int i = 0; i < N; i++) worker_end(&workers[i]);
    dbm_manager_free(mgr);
}

static void test_down_and_up(void **state) {
    static const int delays[] = { 50, 100, 200, 400, 500, 500 };
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_session s;
    (void)state;
    server_configure(mgr, v, "scripted", &config);
    plan_fail_text(v, DBM_OP_CONNECT, 0, DBM_E_CONNECT, "no route to db.example");
    CHECK_STATUS(dbm_init_all(mgr), DBM_E_CONNECT);
    dbm_database *db = dbm_get(mgr, NULL); /* a configured database never disappears */
    assert_non_null(db);
    assert_true(stats_of(db).down);
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        long tried = server_count(v, DBM_OP_CONNECT);
        clock_move_us(delays[i] * 1000 - 1);
        CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_E_CONNECT);
        assert_non_null(strstr(dbm_last_error()->message, "no route to db.example"));
        assert_non_null(strstr(dbm_last_error()->site, "test_pool.c:"));
        assert_int_equal(server_count(v, DBM_OP_CONNECT), tried);
        clock_move_us(1);
        CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_E_CONNECT);
        assert_int_equal(server_count(v, DBM_OP_CONNECT), tried + 1);
    }
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_DOWN), 1);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_UP), 0);
    plan_clear(v);
    clock_move_ms(500);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_UP), 1);
    assert_false(stats_of(db).down);
    /* The next time begins at 50 ms again. */
    plan_fail(v, DBM_OP_CONNECT, 0, DBM_E_CONNECT, "08001");
    CHECK_STATUS(dbm_exec(&s, "write"), DBM_OK);
    server_kill(v, 0);
    CHECK_STATUS(dbm_exec(&s, "write"), DBM_E_LOST);
    (void)dbm_session_end(&s);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_E_CONNECT);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_DOWN), 2);
    plan_clear(v);
    clock_move_ms(49);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_E_CONNECT);
    clock_move_ms(1);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
    (void)dbm_session_end(&s);
    assert_int_equal(stats_of(db).connect_failures, 8);
    dbm_manager_free(mgr);
}

/* dbm_maintain notices both, too. */
static void test_down_in_upkeep(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    (void)state;
    config.pool.min_idle = 1;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "08001");
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    assert_true(stats_of(db).down);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_DOWN), 1);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK); /* within the pause: not tried */
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 1);
    clock_move_ms(50);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    assert_false(stats_of(db).down);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_UP), 1);
    settled(db, 1, 1, 0);
    dbm_manager_free(mgr);
}

static void test_waiters_stay(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_session a;
    worker w, x;
    (void)state;
    CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    plan_fail(v, DBM_OP_CONNECT, 0, DBM_E_CONNECT, "08001");
    worker_start(&w, db);
    worker_start(&x, db);
    worker_do(&w, job_begin);
    UNTIL(waiting(db) == 1 && server_count(v, DBM_OP_CONNECT) == 2);
    worker_do(&x, job_begin);
    UNTIL(waiting(db) == 2);
    assert_false(stats_of(db).down);
    (void)dbm_session_end(&a);
    CHECK_STATUS(worker_wait(&w), DBM_OK);
    assert_true(worker_busy(&x));
    /* The last connection dies while one waits: he hears why. */
    w.sql = "write";
    CHECK_STATUS(worker_run(&w, job_exec), DBM_OK);
    server_kill(v, 0);
    CHECK_STATUS(worker_run(&w, job_exec), DBM_E_LOST);
    (void)worker_run(&w, job_end);
    CHECK_STATUS(worker_wait_moving(&x, 10), DBM_E_CONNECT);
    assert_true(stats_of(db).down);
    worker_end(&w);
    worker_end(&x);
    settled(db, 0, 0, 0);
    dbm_manager_free(mgr);
}

/* The second in line became the first while the pause after a failed connect ran: it must look when the pause is over. In real time, since
 * with a clock of the program's every waiter looks each millisecond anyway. */
static void test_new_head_retries(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_session a;
    worker w, x;
    (void)state;
    CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "08001");
    worker_start(&w, db);
    worker_start(&x, db);
    worker_do(&w, job_begin);
    UNTIL(waiting(db) == 1 && server_count(v, DBM_OP_CONNECT) == 2);
    worker_do(&x, job_begin);
    UNTIL(waiting(db) == 2);
    (void)dbm_session_end(&a);
    CHECK_STATUS(worker_wait(&w), DBM_OK); /* keeps it */
    CHECK_STATUS(worker_wait(&x), DBM_OK); /* 50 ms later, not when its pool_timeout of 30 s ends */
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 3);
    worker_run(&w, job_end);
    worker_run(&x, job_end);
    worker_end(&w);
    worker_end(&x);
    dbm_manager_free(mgr);
}

/* ---- a connection found dead at the first statement --------------------------------------------------------------------------------- */

static void test_replaced(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(2, 0);
        dbm_manager *mgr = server_manager_virtual();
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        dbm_status rc = DBM_E_MISUSE;
        DBM_SESSION_ON(db, s) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        server_kill(v, 1);
        log_clear(v);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            CHECK_STATUS(dbm_exec(s, "write 2"), DBM_OK);
        }
        CHECK_STATUS(rc, DBM_OK);
        assert_string_equal(log_text(v), "begin1 disconnect1 connect2 begin2 execute2:write execute2:write 2 commit2");
        settled(db, 1, 1, 0);
        /* A statement that is new to the connection meets the loss one call earlier. */
        server_kill(v, 2);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) CHECK_STATUS(dbm_exec(s, "write 3"), DBM_OK);
        CHECK_STATUS(rc, DBM_OK);
        /* Once, not for ever. */
        server_kill(v, 3);
        plan(v, DBM_OP_BEGIN, 0, LOSE);
        long before = server_count(v, DBM_OP_CONNECT);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) CHECK_STATUS(dbm_exec(s, "write"), DBM_E_LOST);
        CHECK_STATUS(rc, DBM_E_LOST);
        assert_int_equal(server_count(v, DBM_OP_CONNECT), before + 2); /* it is a suspect by now: the first one is found dead before it is used */
        plan_clear(v);
        settled(db, 0, 0, 0);
        assert_int_equal(server_live(v), 0);
        /* The one in its place can't be made: the session fails, and nothing that is closed is ever handed out. */
        DBM_SESSION_ON(db, s) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        server_kill(v, 0);
        plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "08001");
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) CHECK_STATUS(dbm_exec(s, "write"), DBM_E_CONNECT);
        CHECK_STATUS(rc, DBM_E_CONNECT);
        settled(db, 0, 0, 0);
        clock_move_ms(60);
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        CHECK_STATUS(rc, DBM_OK);
        settled(db, 1, 1, 0);
        dbm_manager_free(mgr);
    }
}

/* Replacing goes over the limit of connects at once; who waits for that limit is told when it is over. */
static void test_replaced_frees_the_permit(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(3, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    worker w[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        worker_start(&w[i], db);
        w[i].sql = "write";
    }
    CHECK_STATUS(worker_run(&w[0], job_begin), DBM_OK);
    CHECK_STATUS(worker_run(&w[1], job_begin), DBM_OK);
    server_kill(v, 0);
    plan(v, DBM_OP_CONNECT, 1, BLOCK);
    plan(v, DBM_OP_CONNECT, 2, BLOCK);
    worker_do(&w[0], job_exec);
    worker_do(&w[1], job_exec);
    server_wait_blocked(v, 2);
    worker_do(&w[2], job_begin);
    UNTIL(waiting(db) == 1);
    server_release(v);
    CHECK_STATUS(worker_wait(&w[0]), DBM_OK);
    CHECK_STATUS(worker_wait(&w[1]), DBM_OK);
    CHECK_STATUS(worker_wait(&w[2]), DBM_OK);
    for (int i = 0; i < 3; i++) {
        worker_run(&w[i], job_end);
        worker_end(&w[i]);
    }
    settled(db, 3, 3, 0);
    dbm_manager_free(mgr);
}

/* ---- killed ------------------------------------------------------------------------------------------------------------------------ */

static void test_killed(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 0);
        dbm_manager *mgr = server_manager_virtual();
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        dbm_status rc;
        int rows = 0;
        /* between statements */
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            server_kill(v, 0);
            CHECK_STATUS(dbm_exec(s, "write"), DBM_E_LOST);
            long sent = server_count(v, DBM_OP_EXECUTE);
            CHECK_STATUS(dbm_exec(s, "write"), DBM_E_LOST); /* it sticks, nothing is sent */
            assert_int_equal(server_count(v, DBM_OP_EXECUTE), sent);
        }
        CHECK_STATUS(rc, DBM_E_LOST);
        DBM_FAILED(err) {
            assert_int_equal(err->status, DBM_E_LOST);
            assert_true(err->retryable);
            assert_non_null(strstr(err->site, "test_pool.c:"));
        }
        settled(db, 0, 0, 0);
        /* in mid-result */
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            DBM_EACH(s, row, "rows 5 x 1") {
                assert_int_equal(dbm_row_int(row, 0), rows * 100);
                if (++rows == 2) server_kill(v, 0);
            }
            CHECK_STATUS(dbm_status_of(s), DBM_E_LOST);
        }
        assert_int_equal(rows, 2);
        CHECK_STATUS(rc, DBM_E_LOST);
        assert_int_equal(v->results, 0);
        /* at the commit, after writes: nobody can tell */
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            plan(v, DBM_OP_COMMIT, 1, LOSE);
        }
        CHECK_STATUS(rc, DBM_E_IN_DOUBT);
        DBM_FAILED(err) {
            assert_false(err->retryable);
            assert_int_equal(err->stage, DBM_STAGE_COMMIT);
        }
        assert_int_equal(stats_of(db).in_doubt, 1);
        settled(db, 0, 0, 0);
        /* at the commit of one that only read */
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            DBM_EACH(s, row, "rows 1 x 1") assert_int_equal(dbm_row_int(row, 0), 0);
            plan(v, DBM_OP_COMMIT, 1, LOSE);
        }
        CHECK_STATUS(rc, DBM_E_LOST);
        assert_int_equal(stats_of(db).in_doubt, 1);
        /* a write without a transaction: in doubt, and never sent twice; a read is */
        long sent = server_count(v, DBM_OP_EXECUTE);
        plan(v, DBM_OP_EXECUTE, 1, LOSE);
        CHECK_STATUS(dbm_exec(db, "write"), DBM_E_IN_DOUBT);
        assert_int_equal(server_count(v, DBM_OP_EXECUTE), sent + 1);
        assert_int_equal(stats_of(db).in_doubt, 2);
        plan(v, DBM_OP_EXECUTE, 1, LOSE);
        CHECK_STATUS(dbm_exec(db, "rows 1 x 1"), DBM_OK);
        assert_int_equal(server_count(v, DBM_OP_EXECUTE), sent + 3);
        /* a rollback that fails: the connection goes, the outcome stays what it was */
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            CHECK_STATUS(dbm_exec(s, "fail 23505"), DBM_E_CONSTRAINT);
            plan_fail(v, DBM_OP_ROLLBACK, 1, DBM_E_SQL, "XX000");
        }
        CHECK_STATUS(rc, DBM_E_CONSTRAINT);
        settled(db, 0, 0, 0);
        /* the server rolls back instead of committing */
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            plan_fail(v, DBM_OP_COMMIT, 1, DBM_E_ROLLED_BACK, "");
        }
        CHECK_STATUS(rc, DBM_E_ROLLED_BACK);
        assert_int_equal(server_live(v), stats_of(db).open);
        dbm_manager_free(mgr);
    }
}

/* Silence: a deadline ends it, the connection is given up, and what was under way decides the status. */
static void job_silent(worker *w) {
    w->number = 0;
    w->status = DBM_E_MISUSE;
    if (w->ud != NULL) {
        dbm_session_options options = { .autocommit = true, .timeout_ms = 100 };
        CHECK_STATUS(dbm_session_begin(w->db, &options, &w->s), DBM_OK);
        w->status = dbm_exec(&w->s, w->sql);
    } else {
        dbm_session_options options = { .timeout_ms = 100 };
        CHECK_STATUS(dbm_session_begin(w->db, &options, &w->s), DBM_OK);
        w->status = dbm_exec(&w->s, w->sql);
        if (w->status == DBM_OK) w->status = dbm_commit(&w->s);
    }
    w->error = *dbm_last_error();
    (void)dbm_session_end(&w->s);
}
static void test_silence(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 0);
        dbm_manager *mgr = server_manager_virtual();
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        static const struct { int kind; const char *sql; bool autocommit; dbm_status status; } cases[] = {
            { DBM_OP_BEGIN, "write", false, DBM_E_TIMEOUT }, { DBM_OP_EXECUTE, "write", false, DBM_E_TIMEOUT }, { DBM_OP_COMMIT, "write", false, DBM_E_IN_DOUBT },
            { DBM_OP_EXECUTE, "write", true, DBM_E_IN_DOUBT }, { DBM_OP_EXECUTE, "rows 1 x 1", true, DBM_E_TIMEOUT }, { DBM_OP_PREPARE, "write new", false, DBM_E_TIMEOUT }
        };
        worker w;
        v->deaf = true;
        worker_start(&w, db);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            CHECK_STATUS(worker_run(&w, job_once), DBM_OK); /* connected */
            long connects = server_count(v, DBM_OP_CONNECT), sent = server_count(v, cases[i].kind);
            plan(v, cases[i].kind, 1, DROP);
            w.sql = cases[i].sql;
            w.ud = cases[i].autocommit ? &w : NULL;
            worker_do(&w, job_silent);
            dbm_status st = worker_wait_moving(&w, 2);
            if (st != cases[i].status) fprintf(stderr, "%s, case %d\n", forms[form], (int)i);
            CHECK_STATUS(st, cases[i].status);
            assert_int_equal(server_count(v, DBM_OP_CONNECT), connects); /* it is not tried again after the deadline */
            assert_int_equal(server_count(v, cases[i].kind), sent + 1);
            settled(db, 0, 0, 0);
            assert_int_equal(server_live(v), 0);
        }
        worker_end(&w);
        dbm_manager_free(mgr);
    }
}

/* ---- liveness ---------------------------------------------------------------------------------------------------------------------- */

static void test_liveness(void **state) {
    const char *forms[] = { "socketed", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(2, 0);
        dbm_manager *mgr = server_manager_virtual();
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        static const struct { int64_t idle_us; int alive, ping; } cases[] = {
            { 0, 0, 0 }, { 999, 0, 0 }, { 1000, 1, 0 }, { 999999, 1, 0 }, { 1000000, 1, 1 }, { 60000000, 1, 1 }
        };
        CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            long alive = server_count(v, ON_ALIVE), ping = server_count(v, DBM_OP_PING);
            clock_move_us(cases[i].idle_us);
            CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
            assert_int_equal(server_count(v, ON_ALIVE) - alive, cases[i].alive);
            assert_int_equal(server_count(v, DBM_OP_PING) - ping, cases[i].ping);
        }
        /* the peek finds it dead: replaced, and nobody notices */
        server_kill(v, 1);
        clock_move_ms(2);
        log_clear(v);
        DBM_SESSION_ON(db, s) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        assert_string_equal(log_text(v), "alive1 disconnect1 connect2 begin2 execute2:write commit2");
        /* the ping finds it */
        clock_move_ms(2000);
        log_clear(v);
        plan(v, DBM_OP_PING, 1, LOSE);
        DBM_SESSION_ON(db, s) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        assert_string_equal(log_text(v), "alive2 ping2 disconnect2 connect3 begin3 execute3:write commit3");
        assert_int_equal(server_live(v), 1);
        settled(db, 1, 1, 0);
        assert_int_equal(stats_of(db).broken, 2);
        dbm_manager_free(mgr);
    }
}

static void test_pre_ping(void **state) {
    static const dbm_pre_ping pings[] = { DBM_PRE_PING_ALWAYS, DBM_PRE_PING_OFF };
    (void)state;
    for (int i = 0; i < 2; i++) {
        server *v = server_make();
        dbm_config config = pool_of(2, 0);
        dbm_manager *mgr = server_manager_virtual();
        config.pool.pre_ping = pings[i];
        dbm_database *db = server_add(mgr, v, i == 0 ? "scripted" : "socketed", &config);
        for (int n = 0; n < 5; n++) {
            CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
            clock_move_ms(n * 1000);
        }
        assert_int_equal(server_count(v, DBM_OP_PING), i == 0 ? 4 : 0); /* a new connection needs none */
        assert_int_equal(server_count(v, ON_ALIVE), 0);
        dbm_manager_free(mgr);
    }
    /* An adapter without sockets and without .alive is never asked, however long it was idle. */
    server *v = server_make();
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_add(mgr, v, "scripted", NULL);
    CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
    clock_move_ms(60000);
    CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
    assert_int_equal(server_count(v, DBM_OP_PING), 0);
    dbm_manager_free(mgr);
}

/* One that is found dead casts suspicion on those that were last used before: they are asked, idle for long or not. */
static void test_suspects(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(3, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_add(mgr, v, "socketed", &config);
    dbm_session s[3];
    (void)state;
    for (int i = 0; i < 3; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
    for (int i = 0; i < 3; i++) (void)dbm_session_end(&s[i]);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s[0]), DBM_OK);
    assert_int_equal(server_count(v, ON_ALIVE), 0);
    server_kill(v, 0);
    CHECK_STATUS(dbm_exec(&s[0], "write"), DBM_OK); /* replaced */
    CHECK_STATUS(dbm_session_begin(db, NULL, &s[1]), DBM_OK);
    assert_true(server_count(v, ON_ALIVE) >= 1);
    for (int i = 0; i < 2; i++) (void)dbm_session_end(&s[i]);
    dbm_manager_free(mgr);
}

/* ---- age, idleness, upkeep ------------------------------------------------------------------------------------------------------------ */

static void test_recycle(void **state) {
    enum { N = 200, LIFE = 100000 };
    server *v = server_make();
    dbm_config config = pool_of(N, 0);
    dbm_manager *mgr = server_manager_virtual();
    static dbm_session s[N];
    int64_t least = INT64_MAX, most = 0, now = virtual_clock(NULL);
    int tenths[10] = { 0 };
    (void)state;
    config.pool.recycle_ms = LIFE;
    config.pool.idle_timeout_ms = -1;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    for (int i = 0; i < N; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
    for (int i = 0; i < N; i++) {
        int64_t life = dbm__pool_slot(db->pool, i)->expires_us - now;
        if (life < least) least = life;
        if (life > most) most = life;
        assert_true(life > LIFE * 900 && life <= LIFE * 1000);
        tenths[(life - LIFE * 900 - 1) / (LIFE * 10)]++;
        (void)dbm_session_end(&s[i]);
    }
    for (int i = 0; i < 10; i++) assert_true(tenths[i] > N / 40); /* spread over the whole tenth, not a wave */
    assert_true(least < LIFE * 910 && most > LIFE * 990);
    settled(db, N, N, 0);
    clock_move_ms(LIFE / 100 * 89);
    CHECK_STATUS(dbm_exec(db, "write"), DBM_OK);
    assert_int_equal(stats_of(db).recycled, 0);
    clock_move_ms(LIFE / 100 * 12);
    CHECK_STATUS(dbm_exec(db, "write"), DBM_OK); /* the one it gets is too old */
    dbm_stats_info st = stats_of(db);
    assert_true(st.recycled >= 1);
    assert_int_equal(st.broken, 0);
    /* and what nobody asks for goes by upkeep */
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    st = stats_of(db);
    assert_int_equal(st.recycled, N);
    assert_int_equal(st.open, server_live(v));
    assert_true(st.open <= 1);
    for (int i = 0; i < v->logged; i++) if (v->log[i].kind == ON_DISCONNECT) assert_int_equal(v->log[i].how, DBM_DISCONNECT_POLITE);
    dbm_manager_free(mgr);
}

static void test_min_idle(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(5, 3);
    dbm_manager *mgr = server_manager_virtual();
    dbm_session s[6];
    (void)state;
    config.pool.min_idle = 2;
    config.pool.idle_timeout_ms = 10000;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    settled(db, 2, 2, 0);
    for (int i = 0; i < 6; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK); /* as many as pool_size are open: none is made ahead */
    settled(db, 6, 0, 6);
    for (int i = 0; i < 6; i++) (void)dbm_session_end(&s[i]);
    settled(db, 5, 5, 0);
    clock_move_ms(9999);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    settled(db, 5, 5, 0);
    clock_move_ms(2);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    settled(db, 2, 2, 0);
    assert_int_equal(stats_of(db).idle_closed, 3);
    clock_move_ms(1000000);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    settled(db, 2, 2, 0);
    dbm_manager_free(mgr);
}

/* Without dbm_maintain: returns do a piece each now and then. */
static void test_upkeep_at_return(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(4, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_session s[4];
    (void)state;
    config.pool.idle_timeout_ms = 10000;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    for (int i = 0; i < 4; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
    for (int i = 0; i < 4; i++) (void)dbm_session_end(&s[i]);
    clock_move_ms(11000);
    for (int i = 0; i < 10000 && stats_of(db).open > 1; i++) {
        CHECK_STATUS(dbm_session_begin(db, NULL, &s[0]), DBM_OK);
        (void)dbm_session_end(&s[0]);
    }
    settled(db, 1, 1, 0);
    dbm_manager_free(mgr);
}

static void test_leak_warning(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_session s;
    char want[200];
    (void)state;
    config.leak_warning_ms = 1000;
    config.pool.recycle_ms = -1;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    for (int round = 1; round <= 3; round++) {
        const char *site = DBM__SITE; CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
        CHECK_STATUS(dbm_maintain(mgr), DBM_OK); /* seen for the first time */
        clock_move_ms(998);
        CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
        assert_int_equal(test_log_count(&the_log, DBM_EVENT_LEAK), round - 1);
        clock_move_ms(3);
        CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
        clock_move_ms(60000);
        CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
        assert_int_equal(test_log_count(&the_log, DBM_EVENT_LEAK), round);
        (void)snprintf(want, sizeof want, "default: a session taken at %s", site);
        assert_non_null(strstr(test_log_text(&the_log), want));
        assert_int_equal(test_log_count(&the_log, DBM_EVENT_LEAK_RETURNED), round - 1);
        (void)dbm_session_end(&s);
        assert_int_equal(test_log_count(&the_log, DBM_EVENT_LEAK_RETURNED), round);
        assert_int_equal(stats_of(db).leaks, round);
        /* The next session on this connection is not blamed. */
        CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
        clock_move_ms(500);
        CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
        (void)dbm_session_end(&s);
        assert_int_equal(test_log_count(&the_log, DBM_EVENT_LEAK), round);
        assert_int_equal(test_log_count(&the_log, DBM_EVENT_LEAK_RETURNED), round);
    }
    dbm_manager_free(mgr);
}

static void test_upkeep_thread(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(4, 0);
    dbm_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.upkeep_thread = true;
    dbm_manager *mgr = server_manager(&options);
    config.pool.min_idle = 2;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    UNTIL(stats_of(db).idle == 2);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    assert_int_equal(server_live(v), 0);
    dbm_manager_free(mgr);
}

/* ---- what goes back ----------------------------------------------------------------------------------------------------------------------- */

static void test_reset_on_return(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_status rc;
    (void)state;
    DBM_SESSION_ON(db, s) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
    assert_int_equal(server_count(v, DBM_OP_RESET), 0);
    DBM_SESSION_ON(db, s) CHECK_STATUS(dbm_exec(s, "set x"), DBM_OK); /* first words say so */
    assert_int_equal(server_count(v, DBM_OP_RESET), 1);
    DBM_SESSION_ON(db, s) assert_non_null(dbm_native(s, "scripted"));
    assert_int_equal(server_count(v, DBM_OP_RESET), 2);
    settled(db, 1, 1, 0);
    /* A reset that fails closes the connection; the session's outcome stays. */
    plan_fail(v, DBM_OP_RESET, 1, DBM_E_SQL, "XX000");
    DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) CHECK_STATUS(dbm_exec(s, "set x"), DBM_OK);
    CHECK_STATUS(rc, DBM_OK);
    settled(db, 0, 0, 0);
    DBM_SESSION_ON(db, s) {
        CHECK_STATUS(dbm_exec(s, "fail 42601"), DBM_E_SQL);
        break;
    }
    assert_int_equal(v->rollbacks, 1);
    settled(db, 1, 1, 0);
    dbm_manager_free(mgr);
}

static void test_reset_full(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    (void)state;
    config.pool.reset_on_return = DBM_RESET_FULL;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    for (int i = 0; i < 5; i++) DBM_SESSION_ON(db, s) CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
    assert_int_equal(server_count(v, DBM_OP_RESET), 5);
    settled(db, 1, 1, 0);
    dbm_manager_free(mgr);
}

static void test_init_sql(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_session a, b;
    (void)state;
    config.init_sql = "set a; rows 2 x 1;\n set b";
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    log_clear(v);
    CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
    (void)dbm_session_end(&a);
    (void)dbm_session_end(&b);
    assert_string_equal(log_text(v), "connect1 execute1:set a execute1:rows 2 x 1 execute1:set b connect2 execute2:set a execute2:rows 2 x 1 execute2:set b");
    assert_int_equal(v->results, 0);
    server_kill(v, 0);
    plan_fail_text(v, DBM_OP_EXECUTE, 2, DBM_E_SQL, "no schema b"); /* the first is the session's own, on the dead connection */
    CHECK_STATUS(dbm_exec(db, "rows 1 x 1"), DBM_E_SQL);
    assert_non_null(strstr(dbm_last_error()->message, "no schema b"));
    settled(db, 1, 1, 0);
    assert_int_equal(server_live(v), 1);
    dbm_manager_free(mgr);
}

static void test_stats(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 1);
    dbm_manager *mgr = server_manager_virtual();
    (void)state;
    config.pool.timeout_ms = -1;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_session s[4];
    for (int i = 0; i < 3; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s[3]), DBM_E_POOL_TIMEOUT);
    CHECK_STATUS(dbm_exec(&s[0], "write"), DBM_OK);
    CHECK_STATUS(dbm_exec(&s[0], "write"), DBM_OK);
    CHECK_STATUS(dbm_commit(&s[0]), DBM_OK);
    dbm_stats_info n = stats_of(db);
    assert_int_equal(n.size, 2);
    assert_int_equal(n.max_overflow, 1);
    assert_int_equal(n.open, 3);
    assert_int_equal(n.out, 3);
    assert_int_equal(n.idle, 0);
    assert_int_equal(n.checkouts, 3);
    assert_int_equal(n.timeouts, 1);
    assert_int_equal(n.connects, 3);
    assert_int_equal(n.disconnects, 0);
    assert_int_equal(n.statements, 2);
    assert_int_equal(n.cache_hits, 1);
    assert_int_equal(n.cache_misses, 1);
    CHECK_STATUS(dbm_health(mgr, NULL, NULL), DBM_E_POOL_TIMEOUT); /* saturated, and said without waiting */
    for (int i = 0; i < 3; i++) (void)dbm_session_end(&s[i]);
    settled(db, 2, 2, 0);
    assert_int_equal(stats_of(db).disconnects, 1);
    CHECK_STATUS(dbm_health(mgr, NULL, NULL), DBM_OK);
    dbm_manager_free(mgr);
}

/* ---- deadlocks ------------------------------------------------------------------------------------------------------------------------------ */

typedef struct crossing { dbm_database *first, *second; bool write_first, write_second; int at; bool go; const char *site; } crossing;

/* Takes one thing, waits to be told, takes the other. */
static void job_cross(worker *w) {
    crossing *x = (crossing *)w->ud;
    w->status = DBM_E_MISUSE;
    DBM_SESSION_ON(x->first, a) {
        x->site = DBM__SITE;
        if (x->write_first) CHECK_STATUS(dbm_exec(a, "write"), DBM_OK);
        __atomic_store_n(&x->at, 1, __ATOMIC_RELEASE);
        UNTIL(__atomic_load_n(&x->go, __ATOMIC_ACQUIRE));
        DBM_SESSION_ON(x->second, b) {
            w->status = DBM_OK;
            if (x->write_second) w->status = dbm_exec(b, "write");
        }
        dbm_error_info e;
        if (dbm_session_failed(&e)) {
            w->status = e.status;
            w->error = e;
        }
    }
}
static void cross_start(worker *w, crossing *x, dbm_database *first, dbm_database *second) {
    memset(x, 0, sizeof *x);
    x->first = first;
    x->second = second;
    worker_start(w, first);
    w->ud = x;
}
static void cross_first(worker *w, crossing *x) {
    worker_do(w, job_cross);
    UNTIL(__atomic_load_n(&x->at, __ATOMIC_ACQUIRE) == 1);
}
static void cross_go(crossing *x) { __atomic_store_n(&x->go, true, __ATOMIC_RELEASE); }

static void test_deadlock_self(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_status rc = DBM_OK;
    char site[100] = "";
    (void)state;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    int64_t began = real_us();
    (void)snprintf(site, sizeof site, "test_pool.c:%d", __LINE__ + 1);
    DBM_SESSION(mgr, NULL, a) {
        CHECK_STATUS(dbm_exec(a, "write"), DBM_OK);
        DBM_SESSION_OPT(mgr, NULL, b, .separate = 1, .status = &rc) assert_true(false);
        assert_non_null(strstr(dbm_last_error()->message, site));
    }
    CHECK_STATUS(rc, DBM_E_WOULD_DEADLOCK);
    assert_true(real_us() - began < 2000000);
    settled(db, 1, 1, 0);
    dbm_manager_free(mgr);
}

static void test_deadlock_two(void **state) {
    server *v = server_make(), *u = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *a, *b;
    worker w[2];
    crossing x[2];
    (void)state;
    config.name = "a";
    a = server_add(mgr, v, "scripted", &config);
    config.name = "b";
    b = server_add(mgr, u, "scripted", &config);
    cross_start(&w[0], &x[0], a, b);
    cross_start(&w[1], &x[1], b, a);
    cross_first(&w[0], &x[0]);
    cross_first(&w[1], &x[1]);
    cross_go(&x[0]);
    UNTIL(waiting(b) == 1);
    assert_true(worker_busy(&w[0]));
    cross_go(&x[1]);
    CHECK_STATUS(worker_wait(&w[1]), DBM_E_WOULD_DEADLOCK); /* the one that would close the ring */
    assert_non_null(strstr(w[1].error.message, "test_pool.c:"));
    assert_non_null(strstr(w[1].error.message, "a connection"));
    CHECK_STATUS(worker_wait(&w[0]), DBM_OK);
    worker_end(&w[0]);
    worker_end(&w[1]);
    settled(a, 1, 1, 0);
    settled(b, 1, 1, 0);
    dbm_manager_free(mgr);
}

static void test_deadlock_ring(void **state) {
    server *v[3];
    dbm_database *db[3];
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    static const char *const names[] = { "a", "b", "c" };
    worker w[3];
    crossing x[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        v[i] = server_make();
        v[i]->clock = virtual_clock;
        config.name = names[i];
        db[i] = server_add(mgr, v[i], "stepped", &config);
    }
    for (int i = 0; i < 3; i++) {
        cross_start(&w[i], &x[i], db[i], db[(i + 1) % 3]);
        cross_first(&w[i], &x[i]);
    }
    for (int i = 0; i < 2; i++) {
        cross_go(&x[i]);
        UNTIL(waiting(db[i + 1]) == 1);
    }
    cross_go(&x[2]);
    CHECK_STATUS(worker_wait(&w[2]), DBM_E_WOULD_DEADLOCK);
    CHECK_STATUS(worker_wait(&w[1]), DBM_OK);
    CHECK_STATUS(worker_wait(&w[0]), DBM_OK);
    for (int i = 0; i < 3; i++) worker_end(&w[i]);
    dbm_manager_free(mgr);
}

static void test_deadlock_gate(void **state) {
    server *v = server_make(), *u = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *gated, *other;
    worker w[2];
    crossing x[2];
    (void)state;
    v->gate = "the file";
    config.name = "gated";
    gated = server_add(mgr, v, "scripted", &config);
    config = pool_of(1, 0);
    config.name = "other";
    other = server_add(mgr, u, "scripted", &config);
    for (int turn = 0; turn < 2; turn++) {
        cross_start(&w[0], &x[0], gated, other); /* writes, then wants the connection */
        x[0].write_first = true;
        cross_start(&w[1], &x[1], other, gated); /* has the connection, then wants to write */
        x[1].write_second = true;
        cross_first(&w[0], &x[0]);
        cross_first(&w[1], &x[1]);
        cross_go(&x[turn]);
        if (turn == 0) UNTIL(waiting(other) == 1);
        else UNTIL(__atomic_load_n(&gated->gate->word, __ATOMIC_RELAXED) == 3);
        cross_go(&x[1 - turn]);
        CHECK_STATUS(worker_wait(&w[1 - turn]), DBM_E_WOULD_DEADLOCK);
        assert_non_null(strstr(w[1 - turn].error.message, turn == 0 ? "its writer's turn" : "a connection"));
        CHECK_STATUS(worker_wait(&w[turn]), DBM_OK);
        worker_end(&w[0]);
        worker_end(&w[1]);
    }
    dbm_manager_free(mgr);
}

/* As long as one holder may run, nobody is refused. */
static void test_no_false_deadlock(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_session_options quick = { .timeout_ms = 20 };
    dbm_session s;
    dbm_status rc;
    worker x, y;
    (void)state;
    worker_start(&x, db);
    worker_start(&y, db);
    /* One of the two is held by hand, and sessions by hand may be ended by any thread. */
    DBM_SESSION(mgr, NULL, block) {
        CHECK_STATUS(dbm_exec(block, "write"), DBM_OK);
        CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
        worker_do(&y, job_begin);
        UNTIL(waiting(db) == 1);
        pause_us(2000);
        assert_true(worker_busy(&y));
        x.s = s; /* not the thread that began it */
        CHECK_STATUS(worker_run(&x, job_end), DBM_OK);
        CHECK_STATUS(worker_wait(&y), DBM_OK);
        /* Now this thread waits for its own block, and for y's by hand. */
        DBM_SESSION_OPT(mgr, NULL, inner, .separate = 1, .timeout_ms = 20, .status = &rc) assert_true(false);
        CHECK_STATUS(rc, DBM_E_TIMEOUT);
        CHECK_STATUS(worker_run(&y, job_end), DBM_OK);
    }
    /* Two by hand in one thread: nobody can tell that no other thread will end one. */
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
    CHECK_STATUS(dbm_session_begin(db, NULL, &x.s), DBM_OK);
    CHECK_STATUS(dbm_session_begin(db, &quick, &y.s), DBM_E_TIMEOUT);
    (void)dbm_session_end(&s);
    (void)dbm_session_end(&x.s);
    worker_end(&x);
    worker_end(&y);
    settled(db, 2, 2, 0);
    dbm_manager_free(mgr);
}

/* Blocks of many threads on a pool of one: each waits for a holder that runs, so nobody may be told of a deadlock. */
static void job_many_blocks(worker *w) {
    w->status = DBM_OK;
    for (int i = 0; i < 30000 / SLOW; i++) {
        dbm_status rc;
        DBM_SESSION_OPT((dbm_manager *)w->ud, NULL, s, .status = &rc) for (volatile int spin = i * 7 % 300; spin > 0; spin--) {}
        if (rc != DBM_OK) {
            w->status = rc;
            w->error = *dbm_last_error();
            return;
        }
        for (volatile int spin = i * 37 % 100; spin > 0; spin--) {} /* so that one comes just as another one is served */
    }
}
static void test_no_false_deadlock_stress(void **state) {
    enum { N = 6 };
    static worker w[N];
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    (void)state;
    for (int i = 0; i < N; i++) {
        worker_start(&w[i], db);
        w[i].ud = mgr;
        worker_do(&w[i], job_many_blocks);
    }
    for (int i = 0; i < N; i++) {
        dbm_status st = worker_wait(&w[i]);
        if (st != DBM_OK) fprintf(stderr, "%s\n", w[i].error.message);
        CHECK_STATUS(st, DBM_OK);
        worker_end(&w[i]);
    }
    settled(db, 1, 1, 0);
    dbm_manager_free(mgr);
}

/* ---- handles ----------------------------------------------------------------------------------------------------------------------------------- */

static void test_handles(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_session s, copy, next;
    (void)state;
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
    copy = s;
    (void)dbm_session_end(&s);
    CHECK_STATUS(dbm_session_end(&s), DBM_OK); /* emptied: a second end is nothing */
    assert_int_equal(stats_of(db).stale_handles, 0);
    CHECK_STATUS(dbm_session_end(&copy), DBM_E_MISUSE);
    assert_int_equal(stats_of(db).stale_handles, 1);
    CHECK_STATUS(dbm_cancel(&copy), DBM_E_MISUSE);
    assert_int_equal(stats_of(db).stale_handles, 2);
    /* The slot belongs to another session by now, which does not feel it. */
    CHECK_STATUS(dbm_session_begin(db, NULL, &next), DBM_OK);
    assert_ptr_equal(next.slot, copy.slot);
    CHECK_STATUS(dbm_session_end(&copy), DBM_E_MISUSE);
    CHECK_STATUS(dbm_cancel(&copy), DBM_E_MISUSE);
    CHECK_STATUS(dbm_exec(&copy, "write"), DBM_E_MISUSE);
    CHECK_STATUS(dbm_commit(&copy), DBM_E_MISUSE);
    assert_int_equal(stats_of(db).stale_handles, 6);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_STALE_HANDLE), 4);
    settled(db, 1, 0, 1);
    CHECK_STATUS(dbm_exec(&next, "write"), DBM_OK);
    CHECK_STATUS(dbm_commit(&next), DBM_OK);
    CHECK_STATUS(dbm_session_end(&next), DBM_OK);
    assert_int_equal(server_count(v, ON_CANCEL), 0);
    settled(db, 1, 1, 0);
    dbm_manager_free(mgr);
}

/* A cancel of a running statement, from another thread, through a copy. */
static void test_cancel(void **state) {
    const char *forms[] = { "scripted", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 0);
        dbm_manager *mgr = server_manager(NULL);
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        worker w;
        worker_start(&w, db);
        CHECK_STATUS(worker_run(&w, job_begin), DBM_OK);
        dbm_session copy = w.s;
        plan_delay(v, DBM_OP_EXECUTE, 1, 3600000000);
        w.sql = "write";
        v->step_poll = true;
        worker_do(&w, job_exec);
        UNTIL(server_count(v, DBM_OP_EXECUTE) == 1);
        CHECK_STATUS(dbm_cancel(&copy), DBM_OK);
        CHECK_STATUS(worker_wait(&w), DBM_E_CANCELLED);
        CHECK_STATUS(worker_run(&w, job_end), DBM_E_CANCELLED);
        settled(db, 1, 1, 0); /* a polite answer keeps the connection */
        worker_end(&w);
        dbm_manager_free(mgr);
    }
}

/* ---- fork -------------------------------------------------------------------------------------------------------------------------------------------- */

static void fork_child(dbm_manager *mgr, server *v, dbm_session *s, dbm_rows *rows, dbm_statement *prepared) {
    dbm_database *db = dbm_get(mgr, NULL);
    dbm_session mine, copy = *s;
    dbm_row *row;
    long connects = server_count(v, DBM_OP_CONNECT);
    int logged = v->logged;
    CHECK_STATUS(dbm_exec(s, "write"), DBM_E_FORKED);
    CHECK_STATUS(dbm_commit(s), DBM_E_FORKED);
    CHECK_STATUS(dbm_session_end(s), DBM_E_FORKED);
    CHECK(dbm_stmt_exec(prepared) != DBM_OK);
    CHECK_STATUS(dbm_session_begin(db, NULL, &mine), DBM_OK);
    CHECK_STATUS(dbm_session_end(&mine), DBM_OK);
    CHECK(dbm_rows_next(rows, &row) != DBM_OK);
    dbm_rows_end(rows);
    CHECK(dbm_stmt_exec(prepared) != DBM_OK);
    dbm_stmt_end(prepared);
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(dbm_session_begin(db, NULL, &mine), DBM_OK);
        CHECK_STATUS(dbm_exec(&mine, "write"), DBM_OK);
        DBM_EACH(&mine, r, "rows 2 x 1") CHECK(dbm_row_int(r, 0) >= 0);
        CHECK_STATUS(dbm_commit(&mine), DBM_OK);
        CHECK_STATUS(dbm_session_end(&mine), DBM_OK);
        CHECK_STATUS(dbm_exec(&copy, "write"), DBM_E_FORKED);
    }
    dbm_session all[3];
    for (int i = 0; i < 3; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &all[i]), DBM_OK);
    for (int i = 0; i < 3; i++) CHECK_STATUS(dbm_exec(&all[i], i == 0 ? "write" : "rows 1 x 1"), DBM_OK);
    for (int i = 0; i < 3; i++) (void)dbm_session_end(&all[i]);
    CHECK(server_count(v, DBM_OP_CONNECT) == connects + 3);
    /* A block of the parent's is not joined. */
    dbm_status rc;
    DBM_SESSION_OPT(mgr, NULL, b, .status = &rc) CHECK_STATUS(dbm_exec(b, "write"), DBM_OK);
    CHECK_STATUS(rc, DBM_OK);
    /* Not a byte was sent on what the parent has: its two connections were forgotten, once each. */
    int forgotten = 0;
    for (int i = logged; i < v->logged; i++) {
        if (v->log[i].connection == 1 || v->log[i].connection == 2) {
            CHECK(v->log[i].kind == ON_DISCONNECT && v->log[i].how == DBM_DISCONNECT_FORKED);
            forgotten++;
        }
    }
    CHECK(forgotten == 2);
    dbm_stats_info n = stats_of(db);
    CHECK(n.open == 3 && n.idle == 3 && n.out == 0);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
}

static void test_fork(void **state) {
    const char *forms[] = { "scripted", "socketed", "stepped" };
    (void)state;
    for (int form = 0; form < 3; form++) {
        server *v = server_make();
        dbm_config config = pool_of(3, 0);
        dbm_manager *mgr = server_manager(NULL);
        dbm_rows *rows = NULL;
        dbm_statement *prepared = NULL;
        dbm_session other;
        int status = -1;
        v->gate = "writers";
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        DBM_SESSION_ON(db, s) {
            CHECK_STATUS(dbm_session_begin(db, NULL, &other), DBM_OK);
            CHECK_STATUS(dbm_session_end(&other), DBM_OK);
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK); /* holds the gate */
            CHECK_STATUS(dbm_prepare(s, "write 7", &prepared), DBM_OK);
            CHECK_STATUS(dbm_query(s, &rows, "rows 3 x 1"), DBM_OK);
            (void)fflush(NULL);
            pid_t child = fork();
            if (child == 0) {
                alarm(30);
                dbm_session mine = *s;
                fork_child(mgr, v, &mine, rows, prepared);
                _exit(0);
            }
            CHECK(child > 0 && waitpid(child, &status, 0) == child);
            if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fprintf(stderr, "%s: the child ended by %d\n", forms[form], status);
            dbm_row *row;
            CHECK_STATUS(dbm_rows_next(rows, &row), DBM_OK);
            dbm_rows_end(rows);
            CHECK_STATUS(dbm_stmt_exec(prepared), DBM_OK);
        }
        assert_false(dbm_session_failed(NULL));
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(v->commits, 1);
        assert_int_equal(server_count(v, DBM_OP_CONNECT), 2);
        settled(db, 2, 2, 0);
        dbm_manager_free(mgr);
    }
}

/* ---- the end --------------------------------------------------------------------------------------------------------------------------------------------- */

static void job_close_all(worker *w) {
    w->status = dbm_close_all((dbm_manager *)w->ud);
    w->error = *dbm_last_error();
}

static void test_drain(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_session a, b, c;
    worker closer, waiter;
    (void)state;
    CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
    worker_start(&waiter, db);
    worker_do(&waiter, job_begin);
    UNTIL(waiting(db) == 1);
    worker_start(&closer, db);
    closer.ud = mgr;
    worker_do(&closer, job_close_all);
    CHECK_STATUS(worker_wait(&waiter), DBM_E_CLOSED); /* at once */
    CHECK_STATUS(dbm_session_begin(db, NULL, &c), DBM_E_CLOSED);
    CHECK_STATUS(dbm_exec(&a, "write"), DBM_OK); /* what is out goes on */
    CHECK_STATUS(dbm_commit(&a), DBM_OK);
    CHECK_STATUS(dbm_session_end(&a), DBM_OK);
    assert_true(worker_busy(&closer));
    assert_int_equal(server_live(v), 1);
    CHECK_STATUS(dbm_session_end(&b), DBM_OK);
    CHECK_STATUS(worker_wait(&closer), DBM_OK);
    assert_int_equal(server_live(v), 0);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    assert_null(dbm_get(mgr, "nobody"));
    settled(db, 0, 0, 0);
    worker_end(&waiter);
    worker_end(&closer);
    dbm_manager_free(mgr);
}

static void test_drain_leaked(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_options options;
    dbm_session a, b;
    (void)state;
    memset(&options, 0, sizeof options);
    options.grace_ms = 30;
    dbm_manager *mgr = server_manager(&options);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
    const char *site = DBM__SITE; CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    (void)dbm_session_end(&b);
    int64_t began = real_us();
    CHECK_STATUS(dbm_close_all(mgr), DBM_E_LEAKED);
    assert_true(real_us() - began >= 30000 && real_us() - began < 3000000);
    assert_non_null(strstr(dbm_last_error()->message, site));
    assert_non_null(strstr(dbm_last_error()->message, "1 of 'default'"));
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_CLOSE_FAILED), 1);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    assert_int_equal(server_live(v), 1);
    CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_E_CLOSED);
    CHECK_STATUS(dbm_exec(&a, "write"), DBM_OK);
    CHECK_STATUS(dbm_session_end(&a), DBM_E_LEFT_EARLY);
    assert_int_equal(server_live(v), 0);
    dbm_manager_free(mgr);
}

/* Everything that a session needs outlives the manager until the session ends. */
static void test_outlives_manager(void **state) {
    (void)state;
    for (int blocks = 0; blocks < 2; blocks++) {
        server *v = server_make();
        dbm_config config = pool_of(3, 0);
        dbm_options options;
        test_heap heap = { 0 };
        dbm_session a, b, idle, copy;
        memset(&options, 0, sizeof options);
        options.grace_ms = -1;
        options.allocator = test_heap_allocator(&heap);
        dbm_manager *mgr = server_manager(&options);
        dbm_database *db = server_add(mgr, v, "scripted", &config);
        CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
        CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
        CHECK_STATUS(dbm_session_begin(db, NULL, &idle), DBM_OK);
        (void)dbm_session_end(&idle);
        CHECK_STATUS(dbm_exec(&a, "write"), DBM_OK);
        dbm_manager_free(mgr);
        assert_int_equal(server_live(v), 2);
        assert_int_equal(server_count(v, ON_CLOSE), 0);
        CHECK_STATUS(dbm_exec(&a, "write"), DBM_OK);
        CHECK_STATUS(dbm_commit(&a), DBM_OK);
        copy = a;
        CHECK_STATUS(dbm_session_end(&a), DBM_OK);
        if (blocks == 1) CHECK_STATUS(dbm_session_end(&copy), DBM_E_MISUSE); /* b keeps it all alive */
        CHECK_STATUS(dbm_exec(&b, "write"), DBM_OK);
        CHECK_STATUS(dbm_session_end(&b), DBM_E_LEFT_EARLY);
        assert_int_equal(server_live(v), 0);
        assert_int_equal(server_count(v, ON_CLOSE), 1);
        assert_int_equal(test_heap_live(&heap), 0);
    }
}

/* Sessions that end while the manager goes: whoever is last frees, however they meet. */
static void job_end_when_told(worker *w) {
    UNTIL(__atomic_load_n((int *)w->ud, __ATOMIC_ACQUIRE) != 0);
    w->status = dbm_session_end(&w->s);
}
static void test_free_races_with_end(void **state) {
    (void)state;
    static worker w[2];
    for (int i = 0; i < 2; i++) worker_start(&w[i], NULL);
    for (int round = 0; round < 2000 / SLOW; round++) {
        test_heap heap = { 0 };
        dbm_options options;
        int go = 0;
        servers_made = 0;
        server *v = server_make();
        dbm_config config = pool_of(2, 0);
        memset(&options, 0, sizeof options);
        options.grace_ms = -1;
        options.allocator = test_heap_allocator(&heap);
        dbm_manager *mgr = server_manager(&options);
        dbm_database *db = server_add(mgr, v, "scripted", &config);
        for (int i = 0; i < 2; i++) {
            w[i].db = db;
            w[i].ud = &go;
            CHECK_STATUS(dbm_session_begin(db, NULL, &w[i].s), DBM_OK);
            worker_do(&w[i], job_end_when_told);
        }
        __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
        for (volatile int spin = round % 400 * 10; spin > 0; spin--) {}
        dbm_manager_free(mgr);
        for (int i = 0; i < 2; i++) (void)worker_wait(&w[i]);
        assert_int_equal(server_live(v), 0);
        assert_int_equal(server_count(v, ON_CLOSE), 1);
        assert_int_equal(test_heap_live(&heap), 0);
    }
    for (int i = 0; i < 2; i++) worker_end(&w[i]);
}

static bool closing(dbm_database *db) {
    dbm__lock_take(&db->pool->lock);
    bool yes = db->pool->state != DBM__POOL_OPEN;
    dbm__lock_give(&db->pool->lock);
    return yes;
}

/* A connect that was under way when the pool closed does not make a session any more. */
static void test_close_during_connect(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_options options;
    worker w, m;
    (void)state;
    memset(&options, 0, sizeof options);
    options.grace_ms = 20;
    dbm_manager *mgr = server_manager(&options);
    config.pool.min_idle = 1;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    plan(v, DBM_OP_CONNECT, 0, BLOCK);
    worker_start(&w, db);
    worker_do(&w, job_begin);
    server_wait_blocked(v, 1);
    worker_start(&m, db);
    m.ud = mgr;
    worker_do(&m, job_close_all);
    UNTIL(closing(db));
    (void)worker_wait(&m);
    server_release(v);
    CHECK_STATUS(worker_wait(&w), DBM_E_CLOSED);
    assert_int_equal(server_live(v), 0);
    settled(db, 0, 0, 0);
    worker_end(&w);
    worker_end(&m);
    dbm_manager_free(mgr);
}

static void job_maintain(worker *w) { w->status = dbm_maintain((dbm_manager *)w->ud); }
static void test_close_during_upkeep(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_options options;
    worker w;
    (void)state;
    memset(&options, 0, sizeof options);
    options.grace_ms = -1;
    dbm_manager *mgr = server_manager(&options);
    config.pool.min_idle = 1;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    plan(v, DBM_OP_CONNECT, 1, BLOCK);
    worker_start(&w, db);
    w.ud = mgr;
    worker_do(&w, job_maintain);
    server_wait_blocked(v, 1);
    (void)dbm_close_all(mgr);
    server_release(v);
    CHECK_STATUS(worker_wait(&w), DBM_OK);
    assert_int_equal(server_live(v), 0);
    settled(db, 0, 0, 0);
    worker_end(&w);
    dbm_manager_free(mgr);
}

/* A database that was never used stays closed, too. */
static void test_close_unused(void **state) {
    server *v = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_status rc = DBM_OK;
    (void)state;
    server_configure(mgr, v, "scripted", NULL);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_true(false);
    CHECK_STATUS(rc, DBM_E_CLOSED);
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 0);
    assert_int_equal(server_count(v, ON_INIT), server_count(v, ON_CLOSE));
    dbm_manager_free(mgr);
}

/* ---- no lock during a driver call ----------------------------------------------------------------------------------------------------------------------------- */

static void job_tour(worker *w) {
    w->status = DBM_OK;
    DBM_SESSION_ON(w->db, s) {
        dbm_exec(s, "write");
        DBM_SAVEPOINT(s) dbm_exec(s, "write 2");
        DBM_SAVEPOINT(s) { dbm_exec(s, "write 2"); break; }
        DBM_EACH(s, row, "rows 2 x 1") (void)dbm_row_int(row, 0);
        (void)dbm_native(s, w->sql);
    }
    DBM_FAILED(err) w->status = err->status;
    DBM_SESSION_ON(w->db, s) {
        dbm_exec(s, "write");
        (void)dbm_rollback(s);
    }
    DBM_FAILED(err) w->status = err->status;
    clock_move_ms(5000);
    DBM_SESSION_ON(w->db, s) { /* peeked and pinged; then too old */
        dbm_exec(s, "write");
    }
    clock_move_ms(2000000);
    DBM_SESSION_ON(w->db, s) dbm_exec(s, "write");
    DBM_FAILED(err) w->status = err->status;
}
static void test_no_lock(void **state) {
    static const int kinds[] = { DBM_OP_CONNECT, DBM_OP_BEGIN, DBM_OP_COMMIT, DBM_OP_ROLLBACK, DBM_OP_SAVEPOINT, DBM_OP_RELEASE, DBM_OP_ROLLBACK_TO,
        DBM_OP_PREPARE, DBM_OP_UNPREPARE, DBM_OP_EXECUTE, DBM_OP_FETCH, DBM_OP_FINISH, DBM_OP_PING, DBM_OP_RESET, DBM_OP_NATIVE, ON_ALIVE, ON_DISCONNECT };
    const char *forms[] = { "socketed", "stepped" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            dbm_config config = pool_of(3, 0);
            dbm_session s;
            worker w;
            servers_made = 0;
            server *v = server_make();
            dbm_manager *mgr = server_manager_virtual();
            if (form == 1 && (kinds[k] == DBM_OP_UNPREPARE || kinds[k] == DBM_OP_FINISH)) { /* done without the server */
                dbm_manager_free(mgr);
                continue;
            }
            config.statement_cache = 1;
            dbm_database *db = server_add(mgr, v, forms[form], &config);
            plan(v, kinds[k], 1, BLOCK);
            worker_start(&w, db);
            w.sql = forms[form];
            worker_do(&w, job_tour);
            server_wait_blocked(v, 1);
            for (int i = 0; i < 3; i++) {
                CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
                CHECK_STATUS(dbm_exec(&s, "write"), DBM_OK);
                CHECK_STATUS(dbm_commit(&s), DBM_OK);
                CHECK_STATUS(dbm_session_end(&s), DBM_OK);
                CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
            }
            assert_true(worker_busy(&w));
            server_release(v);
            CHECK_STATUS(worker_wait(&w), DBM_OK);
            worker_end(&w);
            dbm_manager_free(mgr);
        }
    }
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------------------------------------------------- */

static void test_no_allocation(void **state) {
    const char *forms[] = { "scripted", "socketed", "stepped" };
    (void)state;
    for (int form = 0; form < 3; form++) {
        server *v = server_make();
        dbm_config config = pool_of(2, 0);
        dbm_options options;
        test_heap heap = { 0 };
        char sql[64][32];
        memset(&options, 0, sizeof options);
        options.allocator = test_heap_allocator(&heap);
        dbm_manager *mgr = server_manager(&options);
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        for (int i = 0; i < 64; i++) (void)snprintf(sql[i], sizeof sql[i], i % 2 != 0 ? "write %d" : "rows 3 x 2 text %d", i);
        long warm = 0;
        for (int round = 0; round < 20; round++) {
            if (round == 2) warm = heap.calls;
            for (int i = 0; i < 64; i++) {
                dbm_status rc;
                DBM_SESSION_OPT(mgr, NULL, s, .status = &rc) {
                    if (i % 2 != 0) dbm_exec(s, sql[i]);
                    else DBM_EACH(s, row, sql[i]) assert_int_equal(strlen(dbm_row_text(row, 1)), 3);
                }
                CHECK_STATUS(rc, DBM_OK);
            }
            DBM_SESSION_ON(db, s) {}
        }
        assert_int_equal(heap.calls, warm);
        assert_int_equal(stats_of(db).cache_misses, 64);
        dbm_manager_free(mgr);
        assert_int_equal(test_heap_live(&heap), 0);
    }
}

static dbm_status life(dbm_options *options, server *v) {
    dbm_manager *mgr = NULL;
    dbm_config config = pool_of(2, 1);
    dbm_status st, rc = DBM_OK, inner = DBM_OK;
    char url[64];
    options->log = test_log_hook;
    options->log_ud = &the_log;
    options->no_env = true;
    (void)snprintf(url, sizeof url, "scripted://app:pw@h/%d", v->index);
    config.url = url;
    config.init_sql = "set a";
    st = dbm_manager_create(&mgr, options);
    if (st != DBM_OK) {
        CHECK(mgr == NULL);
        return st;
    }
    st = dbm_register(mgr, &adapter_scripted);
    if (st == DBM_OK) st = dbm_add_database(mgr, &config);
    if (st == DBM_OK) st = dbm_init_all(mgr);
    if (st == DBM_OK) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_exec(s, "write ?", 1);
            DBM_SESSION_RC(mgr, NULL, t, &inner) dbm_exec(t, "write ?", "text"); /* its failure is its own */
            DBM_EACH(s, row, "rows 2 x 2 text where ?", "abc") (void)dbm_row_text(row, 0);
        }
        st = rc != DBM_OK ? rc : inner;
    }
    dbm_manager_free(mgr);
    return st;
}

static void test_memory_block(void **state) {
    static max_align_t block[65536 / sizeof(max_align_t)];
    server *v = server_make();
    int worked = 0, refused = 0;
    (void)state;
    for (size_t size = 1024; size <= sizeof block; size += size < 24000 ? 96 : 1024) {
        dbm_options options;
        memset(&options, 0, sizeof options);
        options.memory = block;
        options.memory_size = size;
        dbm_status st = life(&options, v);
        if (size < 4096) {
            CHECK_STATUS(st, DBM_E_MISUSE);
        } else if (st == DBM_OK) {
            worked++;
        } else {
            CHECK_STATUS(st, DBM_E_NOMEM);
            assert_int_equal(worked, 0); /* more memory never makes it worse */
            refused++;
        }
        assert_int_equal(server_live(v), 0);
    }
    assert_true(worked > 0 && refused > 0);
}

static void test_every_allocation_fails(void **state) {
    server *v = server_make();
    long n;
    (void)state;
    for (n = 1; n < 1000; n++) {
        test_heap heap = { 0 };
        dbm_options options;
        memset(&options, 0, sizeof options);
        options.allocator = test_heap_allocator(&heap);
        test_heap_fail(&heap, n);
        dbm_status st = life(&options, v);
        assert_int_equal(test_heap_live(&heap), 0);
        assert_int_equal(server_live(v), 0);
        if (heap.failed == 0) {
            CHECK_STATUS(st, DBM_OK);
            break;
        }
        CHECK_STATUS(st, DBM_E_NOMEM);
    }
    assert_in_range(n, 15, 999);
}

/* ---- opening all ---------------------------------------------------------------------------------------------------------------------- */

static void job_init_all(worker *w) {
    w->status = dbm_init_all((dbm_manager *)w->ud);
    w->error = *dbm_last_error();
}

/* Adapters that need not block are opened at the same time; the failures of some do not hold up the others. */
static void test_side_by_side(void **state) {
    enum { COUNT = 5 };
    const char *names[COUNT] = { "default", "b", "c", "d", "e" };
    server *v[COUNT];
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db[COUNT];
    worker w;
    int i;
    (void)state;
    for (i = 0; i < COUNT; i++) {
        dbm_config config = pool_of(1, 0);
        config.name = names[i];
        config.connect_timeout_ms = 10000;
        v[i] = server_make();
        v[i]->clock = virtual_clock;
        db[i] = server_add(mgr, v[i], "stepped", &config);
        plan_delay(v[i], DBM_OP_CONNECT, 1, 200000);
    }
    plan_clear(v[1]);
    plan_fail(v[1], DBM_OP_CONNECT, 1, DBM_E_AUTH, "28P01");
    plan_clear(v[3]);
    plan(v[3], DBM_OP_CONNECT, 1, DROP); /* its time-out alone is waited for */
    worker_start(&w, db[0]);
    w.ud = mgr;
    worker_do(&w, job_init_all);
    for (i = 0; i < COUNT; i++) UNTIL(server_count(v[i], DBM_OP_CONNECT) == 1); /* none waits for another */
    CHECK_STATUS(worker_wait_moving(&w, 5), DBM_E_AUTH); /* the first failure, not the last */
    assert_string_equal(w.error.database, "b");
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(server_count(v[i], DBM_OP_CONNECT), 1);
        settled(db[i], i == 1 || i == 3 ? 0 : 1, i == 1 || i == 3 ? 0 : 1, 0);
        assert_int_equal(stats_of(db[i]).down, i == 1 || i == 3);
    }
    worker_end(&w);
    dbm_manager_free(mgr);
}

/* Those that fail at the same moment are down each for its own reason. */
static void test_side_by_side_reasons(void **state) {
    static const struct { const char *name; dbm_status status; const char *sqlstate; } cases[] = {
        { "default", DBM_E_AUTH, "28P01" }, { "b", DBM_E_TLS, "08001" }, { "c", DBM_OK, "" }, { "d", DBM_E_CONNECT, "08004" }
    };
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db[4];
    int i;
    (void)state;
    for (i = 0; i < 4; i++) {
        dbm_config config = pool_of(1, 0);
        server *v = server_make();
        config.name = cases[i].name;
        v->clock = virtual_clock;
        db[i] = server_add(mgr, v, "stepped", &config);
        if (cases[i].status != DBM_OK) plan_fail(v, DBM_OP_CONNECT, 1, cases[i].status, cases[i].sqlstate);
    }
    CHECK_STATUS(dbm_init_all(mgr), DBM_E_AUTH);
    assert_string_equal(dbm_last_error()->database, "default");
    for (i = 0; i < 4; i++) { /* no time passes, so nobody tries again */
        CHECK_STATUS(dbm_exec(db[i], "write"), cases[i].status);
        if (cases[i].status == DBM_OK) continue;
        assert_string_equal(dbm_last_error()->database, cases[i].name);
        assert_string_equal(dbm_last_error()->sqlstate, cases[i].sqlstate);
    }
    dbm_manager_free(mgr);
}

/* ---- one connection for all -------------------------------------------------------------------------------------------------------------------------------------------- */

static void test_shared(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(4, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_add(mgr, v, "sharing", &config);
    dbm_session s[4];
    (void)state;
    for (int i = 0; i < 4; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
    for (int i = 0; i < 4; i++) CHECK_STATUS(dbm_exec(&s[i], "MATCH (n {name: $name, x: '?'}) RETURN n"), DBM_E_SQL); /* passed on as it is; the server does not know it */
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 1);
    for (int i = 0; i < 4; i++) (void)dbm_session_end(&s[i]);
    settled(db, 4, 4, 0);
    assert_int_equal(server_live(v), 1);
    /* It breaks under one; the others keep theirs until they end; then there is one new for all. */
    for (int i = 0; i < 3; i++) CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    CHECK_STATUS(dbm_exec(&s[0], "write"), DBM_E_IN_DOUBT);
    (void)dbm_session_end(&s[0]);
    assert_int_equal(server_live(v), 1);
    (void)dbm_session_end(&s[1]);
    (void)dbm_session_end(&s[2]);
    clock_move_ms(1000);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s[0]), DBM_OK);
    CHECK_STATUS(dbm_exec(&s[0], "write"), DBM_OK);
    CHECK_STATUS(dbm_session_end(&s[0]), DBM_OK);
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 2);
    assert_int_equal(server_live(v), 1);
    dbm_manager_free(mgr);
    assert_int_equal(server_count(v, ON_DISCONNECT), 2);
}

static void job_shared(worker *w) {
    for (int i = 0; i < 1500 / SLOW; i++) {
        dbm_session s;
        dbm_status st = dbm_session_begin(w->db, NULL, &s);
        if (st != DBM_OK) {
            if (st != DBM_E_LOST && st != DBM_E_POOL_TIMEOUT) CHECK_STATUS(st, DBM_OK);
            pause_us(100);
            continue;
        }
        st = dbm_exec(&s, i % 3 == 0 ? "write" : "rows 1 x 1"); /* a read gets another connection in place of a dead one */
        if (st != DBM_OK && st != DBM_E_LOST) CHECK_STATUS(st, DBM_E_IN_DOUBT);
        (void)dbm_session_end(&s);
        if (w->number == 0 && i % 20 == 19) server_kill((server *)w->ud, 0);
    }
}
static void test_shared_breaks(void **state) {
    enum { N = 4 };
    static worker w[N];
    server *v = server_make();
    dbm_config config = pool_of(N, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "sharing", &config);
    (void)state;
    plan_delay(v, DBM_OP_CONNECT, 0, 300);
    for (int i = 0; i < N; i++) {
        worker_start(&w[i], db);
        w[i].ud = v;
        w[i].number = i;
        worker_do(&w[i], job_shared);
    }
    for (int i = 0; i < N; i++) {
        (void)worker_wait(&w[i]);
        worker_end(&w[i]);
    }
    assert_int_equal(v->live_most, 1);
    dbm_manager_free(mgr);
    assert_int_equal(server_count(v, ON_DISCONNECT), server_count(v, DBM_OP_CONNECT));
}

int main(void) {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_fifo), T(test_no_overtaking), T(test_connects), T(test_timeout_message), T(test_one_deadline), T(test_connect_without_answer), T(test_no_waiting),
        T(test_fatal), T(test_down_and_up), T(test_down_in_upkeep), T(test_waiters_stay), T(test_new_head_retries), T(test_replaced),
        T(test_replaced_frees_the_permit), T(test_killed), T(test_silence), T(test_liveness), T(test_pre_ping), T(test_suspects), T(test_recycle),
        T(test_min_idle), T(test_upkeep_at_return), T(test_leak_warning), T(test_upkeep_thread), T(test_reset_on_return), T(test_reset_full),
        T(test_init_sql), T(test_stats), T(test_deadlock_self), T(test_deadlock_two), T(test_deadlock_ring), T(test_deadlock_gate),
        T(test_no_false_deadlock), T(test_no_false_deadlock_stress), T(test_handles), T(test_cancel), T(test_fork), T(test_drain), T(test_drain_leaked),
        T(test_outlives_manager), T(test_free_races_with_end), T(test_close_during_connect), T(test_close_during_upkeep), T(test_close_unused), T(test_no_lock),
        T(test_no_allocation), T(test_memory_block), T(test_every_allocation_fails), T(test_side_by_side), T(test_side_by_side_reasons), T(test_shared), T(test_shared_breaks)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
