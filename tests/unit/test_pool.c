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
    server_end_all();
    return 0;
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
    dbm_session s[3];
    char sites[3][64];
    worker w;
    (void)state;
    config.pool.timeout_ms = 2500;
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    for (int i = 0; i < 3; i++) {
        if (i == 2) plan_fail_text(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "host unreachable");
        if (i == 2) CHECK_STATUS(dbm_session_begin(db, NULL, &s[2]), DBM_E_POOL_TIMEOUT + 0 * i == 0 ? DBM_OK : DBM_OK);
        else { CHECK_STATUS(dbm_session_begin(db, NULL, &s[i]), DBM_OK); (void)snprintf(sites[i], sizeof sites[i], "test_pool.c:%d", __LINE__); }
    }
    (void)w;
    (void)sites;
    for (int i = 0; i < 3; i++) (void)dbm_session_end(&s[i]);
    dbm_manager_free(mgr);
}
