/* pool/gate.c: one at a time, nobody overtaken for long, time-outs, no wake-up lost, deadlocks; and gates under sessions. */
#include "scripted.h"

#if defined(__SANITIZE_THREAD__)
#  define SLOW 10
#else
#  define SLOW 1
#endif

static int tear_down(void **state) {
    (void)state;
    return server_end_all();
}

/* A worker's job: enters `gate`, notes what it saw, stays until told, leaves. */
typedef struct visit {
    dbm__gate *gate;
    dbm__word holder;
    int64_t deadline_us;
    int in, leave;
    uint64_t barges;
} visit;

static void job_visit(worker *w) {
    visit *v = (visit *)w->ud;
    dbm__word holder = v->holder == 0 ? 0 : dbm__thread_number();
    w->status = dbm__gate_enter(w->db, v->gate, holder, v->deadline_us, true, NULL, "visit:1");
    if (w->status != DBM_OK) {
        w->error = *dbm_last_error();
        return;
    }
    dbm__lock_take(&v->gate->lock);
    v->barges = v->gate->barges;
    dbm__lock_give(&v->gate->lock);
    __atomic_store_n(&v->in, 1, __ATOMIC_RELEASE);
    UNTIL(__atomic_load_n(&v->leave, __ATOMIC_ACQUIRE));
    dbm__gate_leave(w->db, v->gate);
}
static void visit_start(worker *w, visit *v, dbm_database *db, int64_t deadline_us) {
    memset(v, 0, sizeof *v);
    v->gate = db->gate;
    v->deadline_us = deadline_us;
    worker_start(w, db);
    w->ud = v;
}
static void visit_leave(visit *v) { __atomic_store_n(&v->leave, 1, __ATOMIC_RELEASE); }
static int queue(dbm__gate *gate) {
    int n = 0;
    dbm__lock_take(&gate->lock);
    for (const void *const *w = (const void *const *)(void *)gate->first; w != NULL; w = (const void *const *)*w) n++; /* `next` comes first */
    dbm__lock_give(&gate->lock);
    return n;
}
static dbm__word word_of(dbm__gate *gate) { return dbm__load(&gate->word); }

static dbm_manager *gated(server **v, dbm_database **db, bool virtual_time) {
    dbm_config config;
    memset(&config, 0, sizeof config);
    config.pool.size = 4;
    *v = server_make();
    (*v)->gate = "file";
    dbm_manager *mgr = virtual_time ? server_manager_virtual() : server_manager(NULL);
    *db = server_add(mgr, *v, "scripted", &config);
    return mgr;
}

static void test_keys(void **state) {
    server *v = server_make(), *u = server_make(), *t = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_config config;
    (void)state;
    memset(&config, 0, sizeof config);
    v->gate = "one";
    u->gate = "one";
    t->gate = "two";
    config.name = "a";
    dbm_database *a = server_add(mgr, v, "scripted", &config);
    config.name = "b";
    dbm_database *b = server_add(mgr, u, "scripted", &config);
    config.name = "c";
    dbm_database *c = server_add(mgr, t, "scripted", &config);
    assert_non_null(a->gate);
    assert_ptr_equal(a->gate, b->gate);
    assert_ptr_not_equal(a->gate, c->gate);
    dbm_manager_free(mgr);
}

static void test_alone(void **state) {
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, true);
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(word_of(db->gate), 0);
        CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "here:1"), DBM_OK);
        assert_int_equal(word_of(db->gate), 1);
        CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, false, NULL, "here:2"), DBM_E_SERIALIZATION);
        assert_true(dbm_last_error()->retryable);
        assert_non_null(strstr(dbm_last_error()->message, "here:1"));
        dbm__gate_leave(db, db->gate);
    }
    dbm_manager_free(mgr);
}

/* ---- mutual exclusion, no wake-up lost --------------------------------------------------------------------------------------- */

static long inside, entered, gave_up;
static void job_many(worker *w) {
    uint32_t random = (uint32_t)w->number * 7919u + 1u;
    dbm__word holder = w->number != 0 ? dbm__thread_number() : 0;
    for (int i = 0; i < 20000 / SLOW; i++) {
        random = random * 1664525u + 1013904223u;
        int64_t deadline = random >> 30 == 0 ? real_us() + (random >> 20 & 511) : INT64_MAX;
        dbm_status st = dbm__gate_enter(w->db, w->db->gate, holder, deadline, true, NULL, "many:1");
        if (st != DBM_OK) {
            if (st != DBM_E_TIMEOUT || deadline == INT64_MAX) fprintf(stderr, "%s\n", dbm_last_error()->message);
            CHECK_STATUS(st, DBM_E_TIMEOUT);
            CHECK(deadline != INT64_MAX);
            (void)__atomic_add_fetch(&gave_up, 1, __ATOMIC_RELAXED);
            continue;
        }
        CHECK(inside == 0); /* not atomic: the gate is all there is between the threads */
        inside = 1;
        entered++;
        if (random >> 24 == 3) pause_us(20);
        for (volatile int spin = (int)(random >> 10 & 255); spin > 0; spin--) {}
        inside = 0;
        dbm__gate_leave(w->db, w->db->gate);
        if (random >> 26 == 3) pause_us(1);
    }
}
static void test_many(void **state) {
    enum { N = 6 };
    static worker w[N];
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, false);
    (void)state;
    entered = gave_up = 0;
    for (int i = 0; i < N; i++) {
        worker_start(&w[i], db);
        w[i].number = i;
        worker_do(&w[i], job_many);
    }
    for (int i = 0; i < N; i++) {
        (void)worker_wait(&w[i]);
        worker_end(&w[i]);
    }
    assert_int_equal(entered + gave_up, N * (20000 / SLOW));
    assert_true(entered > N * 5000 / SLOW);
    assert_int_equal(word_of(db->gate), 0);
    assert_int_equal(queue(db->gate), 0);
    dbm_manager_free(mgr);
}

/* ---- overtaking ------------------------------------------------------------------------------------------------------------------ */

/* One waits while this thread leaves and enters again as fast as it can. */
static void test_barging_is_bounded(void **state) {
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, true); /* time stands still: only the count can end it */
    long most = 0;
    (void)state;
    for (int round = 0; round < 200 / SLOW; round++) {
        worker w;
        visit x;
        CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "barge:1"), DBM_OK);
        visit_start(&w, &x, db, INT64_MAX);
        worker_do(&w, job_visit);
        UNTIL(queue(db->gate) == 1);
        visit_leave(&x); /* it goes as soon as it has come */
        uint64_t before = db->gate->barges;
        for (int i = 0; i < 1000 && !__atomic_load_n(&x.in, __ATOMIC_ACQUIRE); i++) {
            dbm__gate_leave(db, db->gate);
            CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "barge:2"), DBM_OK);
        }
        dbm__gate_leave(db, db->gate);
        (void)worker_wait(&w);
        assert_true(x.barges - before <= 64);
        if ((long)(x.barges - before) > most) most = (long)(x.barges - before);
        worker_end(&w);
        assert_int_equal(word_of(db->gate), 0);
    }
    print_message("overtaken %ld times at the most\n", most);
    dbm_manager_free(mgr);
}

/* A whole queue, and one who never tires: the head is overtaken as often as its share of 64 says, and the last one 64 times at the most. Each
 * one who gets the gate comes back once, to the end of the queue. */
static void job_visit_twice(worker *w) {
    visit *v = (visit *)w->ud;
    for (int i = 0; i < 2; i++) {
        __atomic_store_n(&v->in, 0, __ATOMIC_RELEASE);
        job_visit(w);
    }
}
static void test_shares(void **state) {
    enum { N = 7 };
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, true);
    (void)state;
    for (int round = 0; round < 20 / SLOW; round++) {
        worker w[N];
        visit x[N];
        uint64_t before = db->gate->barges;
        CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "share:1"), DBM_OK);
        for (int i = 0; i < N; i++) {
            visit_start(&w[i], &x[i], db, INT64_MAX);
            visit_leave(&x[i]);
            worker_do(&w[i], round % 2 ? job_visit_twice : job_visit);
            UNTIL(queue(db->gate) == i + 1);
        }
        assert_int_equal(db->gate->waiting, N);
        for (int i = 0; i < 10000; i++) {
            bool all = true;
            for (int k = 0; k < N; k++) all = all && !worker_busy(&w[k]);
            if (all) break;
            dbm__gate_leave(db, db->gate);
            CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "share:2"), DBM_OK);
        }
        dbm__gate_leave(db, db->gate);
        for (int i = 0; i < N; i++) {
            (void)worker_wait(&w[i]);
            if (round % 2 == 0) assert_true(x[i].barges - before <= 64);
            if (round % 2 == 0 && i == 0) assert_true(x[i].barges - before <= 64 / N);
            worker_end(&w[i]);
        }
        assert_int_equal(word_of(db->gate), 0);
        assert_int_equal(db->gate->waiting, 0);
    }
    dbm_manager_free(mgr);
}

/* When it has been overtaken 64 times, or has waited 5 ms, the gate is handed over without being free for a moment. */
static void test_hand_over(void **state) {
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, true);
    (void)state;
    for (int by_time = 0; by_time < 2; by_time++) {
        worker w[2];
        visit x[2];
        CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "over:1"), DBM_OK);
        for (int i = 0; i < 2; i++) {
            visit_start(&w[i], &x[i], db, INT64_MAX);
            worker_do(&w[i], job_visit);
            UNTIL(queue(db->gate) == i + 1);
        }
        if (by_time) {
            clock_move_us(5000);
        } else {
            dbm__lock_take(&db->gate->lock);
            db->gate->barges += 64;
            dbm__lock_give(&db->gate->lock);
        }
        dbm__gate_leave(db, db->gate);
        assert_true(word_of(db->gate) & 1u); /* taken all the time */
        UNTIL(__atomic_load_n(&x[0].in, __ATOMIC_ACQUIRE)); /* the first who came */
        assert_false(__atomic_load_n(&x[1].in, __ATOMIC_ACQUIRE));
        assert_int_equal(word_of(db->gate), 3);
        visit_leave(&x[0]);
        UNTIL(__atomic_load_n(&x[1].in, __ATOMIC_ACQUIRE));
        assert_int_equal(word_of(db->gate), 1); /* nobody waits any more */
        visit_leave(&x[1]);
        for (int i = 0; i < 2; i++) {
            CHECK_STATUS(worker_wait(&w[i]), DBM_OK);
            worker_end(&w[i]);
        }
        assert_int_equal(word_of(db->gate), 0);
    }
    dbm_manager_free(mgr);
}

/* ---- time ---------------------------------------------------------------------------------------------------------------------------- */

static void test_time_out(void **state) {
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, true);
    worker w[2];
    visit x[2];
    (void)state;
    CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "slow.c:77"), DBM_OK);
    visit_start(&w[0], &x[0], db, virtual_clock(NULL) + 20000);
    visit_start(&w[1], &x[1], db, INT64_MAX);
    for (int i = 0; i < 2; i++) {
        worker_do(&w[i], job_visit);
        UNTIL(queue(db->gate) == i + 1);
    }
    clock_move_us(19999);
    pause_us(3000);
    assert_true(worker_busy(&w[0]));
    clock_move_us(1);
    CHECK_STATUS(worker_wait(&w[0]), DBM_E_TIMEOUT);
    assert_true(w[0].error.retryable);
    assert_non_null(strstr(w[0].error.message, "slow.c:77"));
    assert_non_null(strstr(w[0].error.message, "20 ms"));
    assert_int_equal(queue(db->gate), 1);
    assert_int_equal(word_of(db->gate), 3);
    dbm__gate_leave(db, db->gate);
    UNTIL(__atomic_load_n(&x[1].in, __ATOMIC_ACQUIRE));
    visit_leave(&x[1]);
    CHECK_STATUS(worker_wait(&w[1]), DBM_OK);
    for (int i = 0; i < 2; i++) worker_end(&w[i]);
    assert_int_equal(word_of(db->gate), 0);
    dbm_manager_free(mgr);
}

/* The last one who waits gives up: nothing is left behind. */
static void test_time_out_alone(void **state) {
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, true);
    (void)state;
    CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, INT64_MAX, true, NULL, "a:1"), DBM_OK);
    CHECK_STATUS(dbm__gate_enter(db, db->gate, 0, virtual_clock(NULL), true, NULL, "a:2"), DBM_E_TIMEOUT);
    assert_int_equal(word_of(db->gate), 1);
    dbm__gate_leave(db, db->gate);
    assert_int_equal(word_of(db->gate), 0);
    dbm_manager_free(mgr);
}

/* ---- deadlocks ----------------------------------------------------------------------------------------------------------------------------- */

typedef struct pair { dbm__gate *first, *second; int at, go; } pair;
static void job_pair(worker *w) {
    pair *p = (pair *)w->ud;
    CHECK_STATUS(dbm__gate_enter(w->db, p->first, dbm__thread_number(), INT64_MAX, true, NULL, "pair:1"), DBM_OK);
    __atomic_store_n(&p->at, 1, __ATOMIC_RELEASE);
    UNTIL(__atomic_load_n(&p->go, __ATOMIC_ACQUIRE));
    w->status = dbm__gate_enter(w->db, p->second, dbm__thread_number(), INT64_MAX, true, NULL, "pair:2");
    if (w->status == DBM_OK) dbm__gate_leave(w->db, p->second);
    else w->error = *dbm_last_error();
    dbm__gate_leave(w->db, p->first);
}
static void test_deadlock(void **state) {
    server *v;
    dbm_database *db;
    dbm_manager *mgr = gated(&v, &db, false);
    dbm__gate *other = dbm__gate_of(db->shared, "other");
    worker w[2];
    pair p[2];
    (void)state;
    memset(p, 0, sizeof p);
    p[0].first = p[1].second = db->gate;
    p[1].first = p[0].second = other;
    for (int i = 0; i < 2; i++) {
        worker_start(&w[i], db);
        w[i].ud = &p[i];
        worker_do(&w[i], job_pair);
        UNTIL(__atomic_load_n(&p[i].at, __ATOMIC_ACQUIRE));
    }
    __atomic_store_n(&p[0].go, 1, __ATOMIC_RELEASE);
    UNTIL(queue(other) == 1);
    __atomic_store_n(&p[1].go, 1, __ATOMIC_RELEASE);
    CHECK_STATUS(worker_wait(&w[1]), DBM_E_WOULD_DEADLOCK);
    assert_non_null(strstr(w[1].error.message, "pair:1"));
    CHECK_STATUS(worker_wait(&w[0]), DBM_OK);
    for (int i = 0; i < 2; i++) worker_end(&w[i]);
    /* And one thread with itself. */
    CHECK_STATUS(dbm__gate_enter(db, other, dbm__thread_number(), INT64_MAX, true, NULL, "self:1"), DBM_OK);
    CHECK_STATUS(dbm__gate_enter(db, other, dbm__thread_number(), INT64_MAX, true, NULL, "self:2"), DBM_E_WOULD_DEADLOCK);
    dbm__gate_leave(db, other);
    assert_int_equal(word_of(other), 0);
    dbm_manager_free(mgr);
}

/* ---- under sessions ----------------------------------------------------------------------------------------------------------------------------- */

static void job_write(worker *w) {
    w->status = DBM_E_MISUSE;
    DBM_SESSION_ON(w->db, s) w->status = dbm_exec(s, "write");
    dbm_error_info e;
    if (dbm_session_failed(&e)) {
        w->status = e.status;
        w->error = e;
    }
}
static void test_sessions(void **state) {
    server *v = server_make(), *u = server_make();
    dbm_manager *mgr = server_manager(NULL);
    dbm_config config;
    worker w;
    (void)state;
    memset(&config, 0, sizeof config);
    v->gate = u->gate = "the same file";
    config.name = "a";
    dbm_database *a = server_add(mgr, v, "scripted", &config);
    config.name = "b";
    dbm_database *b = server_add(mgr, u, "stepped", &config);
    worker_start(&w, b);
    DBM_SESSION_ON(a, s) {
        DBM_EACH(s, row, "rows 1 x 1") assert_int_equal(dbm_row_int(row, 0), 0);
        assert_int_equal(word_of(a->gate), 0); /* who reads needs no turn */
        CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        assert_int_equal(word_of(a->gate), 1);
        worker_do(&w, job_write);
        UNTIL(queue(a->gate) == 1);
        assert_int_equal(u->commits, 0);
        CHECK_STATUS(dbm_commit(s), DBM_OK); /* the turn ends with the transaction, not with the session */
        CHECK_STATUS(worker_wait(&w), DBM_OK);
        assert_int_equal(u->commits, 1);
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(word_of(a->gate), 0);
    /* In autocommit it ends with the statement; after a failure too. */
    CHECK_STATUS(dbm_exec(a, "write"), DBM_OK);
    assert_int_equal(word_of(a->gate), 0);
    CHECK_STATUS(dbm_exec(a, "fail 23505"), DBM_E_CONSTRAINT);
    assert_int_equal(word_of(a->gate), 0);
    /* It ends when the adapter says that all is written, though the COMMIT goes on; and once. */
    v->lingers = &u->commits;
    u->commits = 0;
    DBM_SESSION_ON(a, s) {
        CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        worker_do(&w, job_write);
        UNTIL(queue(a->gate) == 1);
        CHECK_STATUS(dbm_commit(s), DBM_OK);
        assert_int_equal(__atomic_load_n(&u->commits, __ATOMIC_RELAXED), 1); /* w may be in its own */
        CHECK_STATUS(worker_wait(&w), DBM_OK);
        assert_int_equal(word_of(a->gate), 0);
        CHECK_STATUS(dbm_exec(s, "write"), DBM_OK); /* the next transaction of this session takes it again */
        assert_int_equal(word_of(a->gate), 1);
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(word_of(a->gate), 0);
    v->lingers = NULL;
    /* A session lost while it has the turn. */
    dbm_status rc;
    DBM_SESSION_OPT(mgr, "a", s, .status = &rc) {
        CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        server_kill(v, 0);
    }
    CHECK_STATUS(rc, DBM_E_IN_DOUBT);
    assert_int_equal(word_of(a->gate), 0);
    /* .write takes it with the first statement, whatever that is. */
    DBM_SESSION_OPT(mgr, "a", s, .write = 1) {
        assert_int_equal(word_of(a->gate), 0);
        DBM_EACH(s, row, "rows 1 x 1") assert_int_equal(dbm_row_int(row, 0), 0);
        assert_int_equal(word_of(a->gate), 1);
    }
    assert_int_equal(word_of(a->gate), 0);
    worker_end(&w);
    dbm_manager_free(mgr);
}

int main(void) {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_keys), T(test_alone), T(test_many), T(test_barging_is_bounded), T(test_shares), T(test_hand_over), T(test_time_out), T(test_time_out_alone), T(test_deadlock),
        T(test_sessions)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
