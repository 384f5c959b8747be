/* Checkout and return in steps: for who must not block. The test is the loop: it steps what was woken and waits for the sockets. */
#include "scripted.h"

static int tear_down(void **state) {
    (void)state;
    return server_end_all();
}

static dbm_config pool_of(int size, int overflow) {
    dbm_config config;
    memset(&config, 0, sizeof config);
    config.pool.size = size;
    config.pool.max_overflow = overflow == 0 ? -1 : overflow;
    return config;
}

/* By its address. */
static dbm_database *server_at(dbm_manager *mgr, server *v, const char *form, dbm_config *config) {
    (void)snprintf(v->url, sizeof v->url, "%s://127.0.0.1/%d", form, v->index);
    config->url = v->url;
    return server_add(mgr, v, form, config);
}

/* One task: a checkout, then the slot, then the way back. */
typedef struct task {
    dbm__taker by;
    dbm__taking t;
    dbm_database *db;
    dbm__slot *slot;
    int64_t deadline_us, until_us;
    int want, fd;
    dbm__word woken, gone;
} task;

static dbm_database *waking_in; /* whose locks must be free in a wake */
static void wake(void *ud) {
    if (waking_in != NULL) no_lock_is_held(waking_in);
    dbm__store_release(&((task *)ud)->woken, 1);
}
static void task_begin(task *k, dbm_database *db, int64_t deadline_us, void (*woken)(void *ud)) {
    memset(k, 0, sizeof *k);
    k->db = db;
    k->deadline_us = deadline_us;
    dbm__taker_init(&k->by, db, woken, k);
    dbm__taking_init(&k->t, &k->by, "task.c:1");
}
static void task_start(task *k, dbm_database *db, int64_t deadline_us) {
    waking_in = db;
    task_begin(k, db, deadline_us, wake);
}
static int task_step(task *k, dbm_status heard, bool may_block) {
    k->want = dbm__taking_step(&k->t, heard, may_block, k->deadline_us);
    if (k->want == DBM__STEP_QUEUED) {
        if (dbm__taker_next(&k->by, &k->until_us) != NULL) k->until_us = 0; /* it got something meanwhile */
        else if (k->until_us > k->deadline_us) k->until_us = k->deadline_us;
    } else if (k->want != DBM_STEP_DONE && k->want != DBM__STEP_BLOCKS) {
        k->fd = k->t.u.slot->way.fd;
        k->until_us = k->t.u.slot->way.until_us;
    }
    if (k->want == DBM_STEP_DONE) k->slot = k->t.u.slot;
    return k->want;
}
static void task_abandon(task *k) {
    dbm__taking_abandon(&k->t);
    dbm__taker_end(&k->by);
}
/* Until it is done or waits in the queue; what blocks is let block. */
static int task_run(task *k) {
    task_step(k, DBM_OK, false);
    while (k->want != DBM_STEP_DONE && k->want != DBM__STEP_QUEUED) {
        dbm_status heard = DBM_OK;
        if (k->want != DBM__STEP_BLOCKS) heard = dbm__net_wait(k->db->host, k->fd, k->want & DBM_STEP_BOTH, k->until_us);
        task_step(k, heard, k->want == DBM__STEP_BLOCKS);
    }
    return k->want;
}
static dbm__slot *task_take(task *k, dbm_database *db) {
    task_start(k, db, INT64_MAX);
    CHECK(task_run(k) == DBM_STEP_DONE);
    CHECK_STATUS(k->t.status, DBM_OK);
    return k->slot;
}
static void slot_give(dbm__slot *slot) {
    if (!dbm__giving_start(slot)) return;
    dbm_status heard = DBM_OK;
    dbm__host *host = slot->pool->db->host;
    for (int want = 0; (want = dbm__giving_step(slot, heard, want == DBM__STEP_BLOCKS)) != DBM_STEP_DONE; ) {
        heard = want == DBM__STEP_BLOCKS ? DBM_OK : dbm__net_wait(host, slot->way.fd, want & DBM_STEP_BOTH, slot->way.until_us);
    }
}

/* total = idle + active + connecting */
static void settled(dbm_database *db, server *v, int idle, int out, int connecting, int waiting) {
    dbm_stats_info s = stats_of(db);
    dbm__pool *pool = db->pool;
    assert_int_equal(s.idle, idle);
    assert_int_equal(s.out, out);
    assert_int_equal(s.connecting, connecting);
    assert_int_equal(s.waiting, waiting);
    assert_int_equal(pool->empty + idle + out + connecting, pool->slot_count);
    assert_int_equal(s.open, idle + out);
    assert_int_equal(s.connects - s.disconnects, s.open);
    assert_in_range(server_live(v), s.open, s.open + connecting);
}

/* What 10,000 tasks wait with. */
static void test_small(void **state) {
    (void)state;
    assert_true(sizeof(dbm__taking) <= 48);
}

/* Connect, ping and reset by steps on a socket: no step waits, and each says for what. */
static void test_steps(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db;
    task k;
    (void)state;
    v->write_first = v->timer_first = true;
    config.init_sql = "set a; set b";
    db = server_at(mgr, v, "stepped", &config);
    task_start(&k, db, INT64_MAX);
    CHECK(task_step(&k, DBM_OK, false) == DBM_STEP_TIMER);
    assert_int_equal(k.until_us, virtual_clock(NULL) + 1000);
    settled(db, v, 0, 0, 1, 0);
    clock_move_ms(1);
    CHECK(task_step(&k, DBM_E_TIMEOUT, false) == DBM_STEP_WRITE);
    CHECK(task_step(&k, DBM_OK, false) == DBM__STEP_BLOCKS); /* init_sql */
    assert_int_equal(server_count(v, DBM_OP_EXECUTE), 0);
    v->timer_first = v->write_first = false;
    CHECK(task_step(&k, DBM_OK, true) == DBM_STEP_DONE);
    CHECK_STATUS(k.t.status, DBM_OK);
    assert_int_equal(server_count(v, DBM_OP_EXECUTE), 2);
    settled(db, v, 0, 1, 0, 0);
    assert_string_equal((const char *)k.slot->site, "task.c:1");
    assert_int_equal(k.slot->holder, 0);
    slot_give(k.slot);
    settled(db, v, 1, 0, 0, 0);
    clock_move_ms(2000); /* idle: a ping */
    v->write_first = true;
    task_start(&k, db, INT64_MAX);
    CHECK(task_step(&k, DBM_OK, false) == DBM_STEP_WRITE);
    settled(db, v, 0, 1, 0, 0);
    CHECK(task_step(&k, DBM_OK, false) == DBM_STEP_DONE);
    assert_int_equal(server_count(v, DBM_OP_PING), 1);
    k.slot->reset_full = true;
    assert_true(dbm__giving_start(k.slot));
    CHECK(dbm__giving_step(k.slot, DBM_OK, false) == DBM_STEP_WRITE);
    settled(db, v, 0, 1, 0, 0);
    CHECK(dbm__giving_step(k.slot, DBM_OK, false) == DBM_STEP_DONE);
    settled(db, v, 1, 0, 0, 0);
    assert_int_equal(server_count(v, DBM_OP_RESET), 1);
    /* a ping that fails: another connection takes its place */
    clock_move_ms(2000);
    v->write_first = false;
    plan(v, DBM_OP_PING, 1, LOSE);
    CHECK(task_take(&k, db) != NULL);
    settled(db, v, 0, 1, 0, 0);
    assert_int_equal(stats_of(db).broken, 1);
    assert_int_equal(v->connections, 2);
    /* a reset that fails: the connection goes */
    k.slot->connection.state = DBM_STATE_TRANSACTION;
    plan_fail(v, DBM_OP_RESET, 1, DBM_E_SQL, "XX000");
    (void)dbm__fail(DBM_E_SQL, DBM_STAGE_NONE, NULL, NULL, "kept");
    slot_give(k.slot);
    assert_string_equal(dbm_last_error()->message, "kept");
    settled(db, v, 0, 0, 0, 0);
    dbm_manager_free(mgr);
}

/* Names are looked up in steps that may block: the first one in the first step, others in any. The wait between them is not theirs. */
static void test_names(void **state) {
    static const struct { const char *hosts; int names; } hosts[] = { { "", 0 }, { "localhost:5", 0 }, { "127.0.0.1,[::1]:5,%2Ftmp", 0 }, { "db1", 1 }, { "10.0.0.1:1,db-1.example:2,localhost", 1 },
        { "db1,db2:7", 2 }, { "LOCALHOST,1a,10.0.0.1", 1 } };
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 0);
        dbm_manager *mgr = server_manager_virtual();
        dbm_database *db;
        char url[80];
        task k;
        assert_int_equal(dbm__url_names(hosts[i].hosts), hosts[i].names);
        (void)snprintf(url, sizeof url, "stepped://%s/%d", hosts[i].hosts, v->index);
        config.url = url;
        v->write_first = v->timer_first = true;
        db = server_add(mgr, v, "stepped", &config);
        task_start(&k, db, INT64_MAX);
        if (hosts[i].names > 0) {
            CHECK(task_step(&k, DBM_OK, false) == DBM__STEP_BLOCKS);
            assert_int_equal(server_count(v, DBM_OP_CONNECT), 0);
        }
        CHECK(task_step(&k, DBM_OK, hosts[i].names > 0) == DBM_STEP_TIMER);
        clock_move_ms(1);
        if (hosts[i].names > 1) CHECK(task_step(&k, DBM_E_TIMEOUT, false) == DBM__STEP_BLOCKS);
        CHECK(task_step(&k, hosts[i].names > 1 ? DBM_OK : DBM_E_TIMEOUT, hosts[i].names > 1) == DBM_STEP_WRITE);
        if (hosts[i].names > 1) CHECK(task_step(&k, DBM_OK, false) == DBM__STEP_BLOCKS);
        CHECK(task_step(&k, DBM_OK, hosts[i].names > 1) == DBM_STEP_DONE);
        CHECK_STATUS(k.t.status, DBM_OK);
        slot_give(k.slot);
        dbm_manager_free(mgr);
        servers_made = 0;
    }
}

/* Entries that block are called in steps that may. */
static void test_blocking_adapter(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_add(mgr, v, "socketed", &config);
    task k;
    (void)state;
    task_start(&k, db, INT64_MAX);
    CHECK(task_step(&k, DBM_OK, false) == DBM__STEP_BLOCKS);
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 0);
    CHECK(task_step(&k, DBM_OK, true) == DBM_STEP_DONE);
    slot_give(k.slot);
    clock_move_ms(2000);
    task_start(&k, db, INT64_MAX);
    CHECK(task_step(&k, DBM_OK, false) == DBM__STEP_BLOCKS);
    assert_int_equal(server_count(v, DBM_OP_PING), 0);
    CHECK(task_step(&k, DBM_OK, true) == DBM_STEP_DONE);
    assert_int_equal(server_count(v, DBM_OP_PING), 1);
    k.slot->connection.broken = true;
    assert_true(dbm__giving_start(k.slot));
    CHECK(dbm__giving_step(k.slot, DBM_OK, false) == DBM__STEP_BLOCKS);
    assert_int_equal(server_count(v, ON_DISCONNECT), 0);
    settled(db, v, 0, 1, 0, 0);
    CHECK(dbm__giving_step(k.slot, DBM_OK, true) == DBM_STEP_DONE);
    settled(db, v, 0, 0, 0, 0);
    /* an idle one that is too old */
    slot_give(task_take(&k, db));
    clock_move_ms(4000000);
    task_start(&k, db, INT64_MAX);
    CHECK(task_step(&k, DBM_OK, false) == DBM__STEP_BLOCKS);
    assert_int_equal(server_count(v, ON_DISCONNECT), 1);
    CHECK(task_step(&k, DBM_OK, true) == DBM_STEP_DONE);
    assert_int_equal(server_count(v, ON_DISCONNECT), 2);
    slot_give(k.slot);
    dbm_manager_free(mgr);
}

/* ---- one queue ------------------------------------------------------------------------------------------------------------ */

enum { LINE = 40 };
static int order[LINE];
static dbm__word served;

static void job_in_line(worker *w) {
    w->status = dbm_session_begin(w->db, &w->options, &w->s);
    if (w->status != DBM_OK) return;
    order[dbm__add(&served, 1)] = w->number;
    (void)dbm_session_end(&w->s);
}

/* Threads and tasks wait in one queue and are served as they came. */
static void test_one_queue(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_at(mgr, v, "stepped", &config);
    static worker w[LINE];
    static task k[LINE];
    uint32_t random = 7;
    task first;
    (void)state;
    for (int i = 0; i < LINE; i++) {
        worker_start(&w[i], db);
        w[i].number = i;
    }
    for (int round = 0; round < 20; round++) {
        bool is_task[LINE];
        int at;
        task_take(&first, db);
        served = 0;
        for (int i = 0; i < LINE; i++) {
            random = random * 1664525u + 1013904223u;
            is_task[i] = random >> 31 != 0;
            if (is_task[i]) {
                task_start(&k[i], db, INT64_MAX);
                CHECK(task_run(&k[i]) == DBM__STEP_QUEUED);
            } else {
                worker_do(&w[i], job_in_line);
            }
            UNTIL(stats_of(db).waiting == i + 1);
        }
        slot_give(first.slot);
        for (at = 0; at < LINE; at++) {
            UNTIL(!is_task[at] ? dbm__load_acquire(&served) > (dbm__word)at : dbm__load_acquire(&k[at].woken) != 0);
            if (!is_task[at]) continue;
            assert_int_equal(dbm__load_acquire(&served), at);
            CHECK(task_run(&k[at]) == DBM_STEP_DONE);
            order[dbm__add(&served, 1)] = at;
            slot_give(k[at].slot);
        }
        for (int i = 0; i < LINE; i++) {
            if (!is_task[i]) CHECK_STATUS(worker_wait(&w[i]), DBM_OK);
            assert_int_equal(order[i], i);
        }
        settled(db, v, 1, 0, 0, 0);
    }
    assert_int_equal(v->live_most, 1);
    for (int i = 0; i < LINE; i++) worker_end(&w[i]);
    dbm_manager_free(mgr);
}

/* Deadlines, a pool that closes and a fatal failure end a task like a thread. */
static void test_ends(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_at(mgr, v, "stepped", &config);
    task a, b, c;
    (void)state;
    plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_AUTH, "28P01");
    v->write_first = true;
    task_start(&a, db, INT64_MAX);
    CHECK(task_step(&a, DBM_OK, false) == DBM_STEP_DONE); /* the plan fails at once */
    CHECK_STATUS(a.t.status, DBM_E_AUTH);
    assert_string_equal(dbm_last_error()->site, "task.c:1");
    settled(db, v, 0, 0, 0, 0);
    task_start(&a, db, INT64_MAX);
    CHECK(task_run(&a) == DBM_STEP_DONE);
    CHECK_STATUS(a.t.status, DBM_E_AUTH); /* within the pause: the cause again */
    clock_move_ms(1000);
    /* a connect that fails for good fails those behind it */
    task_start(&a, db, INT64_MAX);
    CHECK(task_step(&a, DBM_OK, false) == DBM_STEP_WRITE);
    task_start(&b, db, INT64_MAX);
    CHECK(task_step(&b, DBM_OK, false) == DBM__STEP_QUEUED);
    server_kill(v, 0);
    CHECK(task_step(&a, DBM_OK, false) == DBM_STEP_DONE);
    CHECK_STATUS(a.t.status, DBM_E_LOST);
    assert_true(b.woken);
    CHECK(task_step(&b, DBM_OK, false) == DBM_STEP_DONE);
    CHECK_STATUS(b.t.status, DBM_E_LOST);
    clock_move_ms(1000);
    v->write_first = false;
    /* time */
    task_take(&a, db);
    task_start(&b, db, virtual_clock(NULL) + 50000);
    task_start(&c, db, INT64_MAX);
    CHECK(task_run(&b) == DBM__STEP_QUEUED);
    CHECK(task_run(&c) == DBM__STEP_QUEUED);
    assert_int_equal(b.until_us, virtual_clock(NULL) + 50000);
    settled(db, v, 0, 1, 0, 2);
    clock_move_ms(50);
    CHECK(task_step(&b, DBM_E_TIMEOUT, false) == DBM_STEP_DONE);
    CHECK_STATUS(b.t.status, DBM_E_TIMEOUT);
    clock_move_ms(30000);
    CHECK(task_step(&c, DBM_E_TIMEOUT, false) == DBM_STEP_DONE);
    CHECK_STATUS(c.t.status, DBM_E_POOL_TIMEOUT);
    assert_non_null(strstr(dbm_last_error()->message, "held by task.c:1"));
    assert_int_equal(stats_of(db).timeouts, 2);
    /* handed over in the moment its time is up: it has it */
    task_start(&b, db, virtual_clock(NULL) + 50000);
    CHECK(task_run(&b) == DBM__STEP_QUEUED);
    slot_give(a.slot);
    clock_move_ms(60);
    CHECK(task_run(&b) == DBM_STEP_DONE);
    CHECK_STATUS(b.t.status, DBM_OK);
    /* closing */
    task_start(&c, db, INT64_MAX);
    CHECK(task_run(&c) == DBM__STEP_QUEUED);
    dbm__pool_close(db->pool);
    assert_true(c.woken);
    CHECK(task_run(&c) == DBM_STEP_DONE);
    CHECK_STATUS(c.t.status, DBM_E_CLOSED);
    task_start(&c, db, INT64_MAX);
    CHECK(task_run(&c) == DBM_STEP_DONE);
    CHECK_STATUS(c.t.status, DBM_E_CLOSED);
    slot_give(b.slot);
    settled(db, v, 0, 0, 0, 0);
    dbm_manager_free(mgr);
}

/* The pause after a failed connect is the first waiter's to sit out. */
static void test_retries(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_at(mgr, v, "stepped", &config);
    task a, b, c;
    (void)state;
    task_take(&a, db);
    plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "08001");
    task_start(&b, db, INT64_MAX);
    CHECK(task_run(&b) == DBM__STEP_QUEUED);
    assert_int_equal(b.until_us, virtual_clock(NULL) + 50000);
    task_start(&c, db, INT64_MAX);
    CHECK(task_run(&c) == DBM__STEP_QUEUED);
    assert_true(c.until_us > virtual_clock(NULL) + 50000);
    task_abandon(&b); /* the next one is the first now, and must know */
    assert_true(c.woken);
    CHECK(task_run(&c) == DBM__STEP_QUEUED);
    assert_int_equal(c.until_us, virtual_clock(NULL) + 50000);
    clock_move_ms(50);
    CHECK(task_run(&c) == DBM_STEP_DONE);
    CHECK_STATUS(c.t.status, DBM_OK);
    slot_give(a.slot);
    slot_give(c.slot);
    settled(db, v, 2, 0, 0, 0);
    dbm_manager_free(mgr);
}

/* Served while its wake is being called, for the pause's sake: it is called again. */
static dbm__slot *to_give;
static int wakes;
static void wake_and_give(void *ud) {
    dbm__slot *slot = to_give;
    to_give = NULL;
    wakes++;
    if (slot != NULL) slot_give(slot);
    wake(ud);
}
static void test_served_in_a_wake(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_at(mgr, v, "stepped", &config);
    task a, b, c;
    (void)state;
    task_take(&a, db);
    plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "08001");
    task_begin(&b, db, INT64_MAX, wake_and_give);
    CHECK(task_run(&b) == DBM__STEP_QUEUED);
    wakes = 0;
    to_give = a.slot;
    task_start(&c, db, INT64_MAX);
    CHECK(task_run(&c) == DBM__STEP_QUEUED);
    assert_null(to_give);
    assert_int_equal(wakes, 2);
    CHECK(task_run(&b) == DBM_STEP_DONE);
    CHECK_STATUS(b.t.status, DBM_OK);
    task_abandon(&c);
    slot_give(b.slot);
    settled(db, v, 1, 0, 0, 0);
    dbm_manager_free(mgr);
}

/* ---- given up --------------------------------------------------------------------------------------------------------------- */

/* A checkout that connects, or pings, is given up before each of its steps; one that waits, too, and one that has just been served. Then the next one in
 * line gets what it had. */
static void test_abandon(void **state) {
    const char *const forms[] = { "stepped", "socketed" };
    (void)state;
    for (int form = 0; form < 2; form++) {
        for (int pings = 0; pings < 2; pings++) {
            for (int steps = 0, ended = 0; !ended; steps++) {
                servers_made = 0;
                server *v = server_make();
                dbm_config config = pool_of(1, 0);
                dbm_manager *mgr = server_manager_virtual();
                task k, next;
                v->write_first = v->timer_first = true;
                config.init_sql = "set a";
                dbm_database *db = server_at(mgr, v, forms[form], &config);
                if (pings) {
                    v->timer_first = false;
                    slot_give(task_take(&k, db));
                    clock_move_ms(2000);
                    v->timer_first = true;
                }
                task_start(&k, db, INT64_MAX);
                for (int i = 0; i < steps && !ended; i++) {
                    clock_move_ms(1);
                    if (i > 0 && k.want == DBM__STEP_BLOCKS) v->timer_first = false;
                    if (task_step(&k, i == 0 || k.want != DBM_STEP_TIMER ? DBM_OK : DBM_E_TIMEOUT, i > 0 && k.want == DBM__STEP_BLOCKS) == DBM_STEP_DONE) ended = 1;
                }
                task_start(&next, db, INT64_MAX);
                if (steps > 0) CHECK(task_run(&next) == DBM__STEP_QUEUED);
                (void)dbm__fail(DBM_E_SQL, DBM_STAGE_NONE, NULL, NULL, "kept");
                if (!ended) task_abandon(&k);
                else slot_give(k.slot);
                assert_string_equal(dbm_last_error()->message, "kept");
                if (steps > 0) assert_true(next.woken);
                v->timer_first = false;
                CHECK(task_run(&next) == DBM_STEP_DONE);
                CHECK_STATUS(next.t.status, DBM_OK);
                settled(db, v, 0, 1, 0, 0);
                assert_int_equal(stats_of(db).connect_failures, 0);
                slot_give(next.slot);
                settled(db, v, 1, 0, 0, 0);
                dbm_manager_free(mgr);
                assert_int_equal(server_live(v), 0);
                assert_true(steps < 20);
            }
        }
    }
}

static void test_abandon_in_line(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 1);
    dbm_manager *mgr = server_manager_virtual();
    dbm_database *db = server_at(mgr, v, "stepped", &config);
    task a, b, k, next;
    (void)state;
    task_take(&a, db);
    task_take(&b, db);
    for (int served_first = 0; served_first < 2; served_first++) {
        task_start(&k, db, INT64_MAX);
        task_start(&next, db, INT64_MAX);
        CHECK(task_run(&k) == DBM__STEP_QUEUED);
        CHECK(task_run(&next) == DBM__STEP_QUEUED);
        settled(db, v, 0, 2, 0, 2);
        if (served_first) {
            slot_give(a.slot);
            assert_true(k.woken && !next.woken);
        }
        task_abandon(&k);
        if (!served_first) {
            assert_false(k.woken);
            settled(db, v, 0, 2, 0, 1);
            slot_give(a.slot);
        }
        assert_true(next.woken);
        CHECK(task_run(&next) == DBM_STEP_DONE);
        a = next;
        settled(db, v, 0, 2, 0, 0);
    }
    /* served, nobody behind, over the pool's size: closed */
    task_start(&k, db, INT64_MAX);
    CHECK(task_run(&k) == DBM__STEP_QUEUED);
    slot_give(a.slot);
    task_abandon(&k);
    settled(db, v, 0, 1, 0, 0);
    /* served with a place to connect in */
    task_take(&a, db);
    task_start(&k, db, INT64_MAX);
    CHECK(task_run(&k) == DBM__STEP_QUEUED);
    a.slot->connection.broken = true;
    slot_give(a.slot);
    assert_true(k.woken);
    settled(db, v, 0, 1, 1, 0);
    assert_int_equal(server_live(v), 1);
    task_abandon(&k);
    settled(db, v, 0, 1, 0, 0);
    /* served while the pool closes */
    task_take(&a, db);
    task_start(&k, db, INT64_MAX);
    CHECK(task_run(&k) == DBM__STEP_QUEUED);
    slot_give(a.slot);
    dbm__pool_close(db->pool);
    task_abandon(&k);
    slot_give(b.slot);
    settled(db, v, 0, 0, 0, 0);
    dbm_manager_free(mgr);
}

/* ---- threads against a task --------------------------------------------------------------------------------------------------- */

static dbm__word stop;
static void job_churn(worker *w) {
    uint32_t random = 5;
    while (!dbm__load(&stop)) {
        random = random * 1664525u + 1013904223u;
        DBM_SESSION_ON(w->db, s) if (random >> 28 == 0) pause_us(30);
    }
}
static void wake_slowly(void *ud) {
    task *k = (task *)ud;
    pause_us(20);
    CHECK(dbm__load(&k->gone) == 0);
    dbm__store_release(&k->woken, 1);
}

/* Tasks that are started, served, given up and freed as fast as it goes, while threads hand over: a wake must never meet memory that is gone. */
static void test_wakes(void **state) {
    enum { N = 3 };
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_at(mgr, v, "stepped", &config);
    worker w[N];
    uint32_t random = 3;
    long got = 0, given_up = 0;
    (void)state;
    config.pool.timeout_ms = 100;
    dbm__store(&stop, 0);
    for (int i = 0; i < N; i++) {
        worker_start(&w[i], db);
        worker_do(&w[i], job_churn);
    }
    for (int64_t until = real_us() + 700000; real_us() < until;) {
        task *k = (task *)malloc(sizeof *k);
        CHECK(k != NULL);
        task_begin(k, db, INT64_MAX, wake_slowly);
        random = random * 1664525u + 1013904223u;
        int patience = (int)(random >> 24) - 64;
        while (task_run(k) == DBM__STEP_QUEUED && patience-- > 0) {
            while (patience-- > 0 && dbm__load_acquire(&k->woken) == 0) dbm__yield();
            dbm__store(&k->woken, 0);
        }
        if (k->want == DBM_STEP_DONE) {
            CHECK_STATUS(k->t.status, DBM_OK);
            dbm__taker_end(&k->by);
            slot_give(k->slot);
            got++;
        } else {
            task_abandon(k);
            given_up++;
        }
        dbm__store(&k->gone, 1);
        free(k);
    }
    dbm__store(&stop, 1);
    for (int i = 0; i < N; i++) {
        (void)worker_wait(&w[i]);
        worker_end(&w[i]);
    }
    print_message("%ld tasks served, %ld gave up\n", got, given_up);
    assert_true(got > 0 && given_up > 0);
    settled(db, v, 1, 0, 0, 0);
    dbm_manager_free(mgr);
}

/* Who waits is overtaken by none who comes later, but for those who take what was idle in that moment: no more than the pool has connections. */
static task the_waiter;
static dbm__word queued; /* not 0: the waiter stands in line, for so many'th time */
static dbm__word overtakers;
static void job_overtake(worker *w) {
    while (!dbm__load(&stop)) {
        dbm__word later = dbm__load_ordered(&queued);
        DBM_SESSION_ON(w->db, s) {
            if (later != 0) {
                dbm__pool *pool = w->db->pool;
                dbm__lock_take(&pool->lock);
                if (dbm__load_ordered(&queued) == later && the_waiter.t.got == DBM__GOT_NOTHING) (void)dbm__add(&overtakers, 1);
                dbm__lock_give(&pool->lock);
            }
        }
    }
}
static void test_overtaking(void **state) {
    enum { N = 8, SLOTS = 4 };
    server *v = server_make();
    dbm_config config = pool_of(SLOTS, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    worker w[N];
    long waited = 0, most = 0;
    (void)state;
    dbm__store(&stop, 0);
    for (int i = 0; i < N; i++) {
        worker_start(&w[i], db);
        worker_do(&w[i], job_overtake);
    }
    for (int64_t until = real_us() + 1000000; real_us() < until;) {
        task_start(&the_waiter, db, INT64_MAX);
        if (task_step(&the_waiter, DBM_OK, false) == DBM__STEP_QUEUED) {
            waited++;
            (void)dbm__swap(&queued, (dbm__word)waited);
            UNTIL(dbm__load_acquire(&the_waiter.woken) != 0);
        }
        task_run(&the_waiter);
        dbm__lock_take(&db->pool->lock); /* who looks at it has looked */
        (void)dbm__swap(&queued, 0);
        dbm__lock_give(&db->pool->lock);
        if ((long)dbm__load(&overtakers) > most) most = (long)dbm__load(&overtakers);
        dbm__store(&overtakers, 0);
        CHECK_STATUS(the_waiter.t.status, DBM_OK);
        slot_give(the_waiter.slot);
        dbm__taker_end(&the_waiter.by);
    }
    dbm__store(&stop, 1);
    for (int i = 0; i < N; i++) {
        (void)worker_wait(&w[i]);
        worker_end(&w[i]);
    }
    print_message("waited %ld times, overtaken by %ld at the most\n", waited, most);
    assert_true(waited > 0);
    assert_true(most <= SLOTS);
    dbm_manager_free(mgr);
}

int main(void) {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = { T(test_small), T(test_steps), T(test_names), T(test_blocking_adapter), T(test_one_queue), T(test_ends), T(test_retries), T(test_served_in_a_wake), T(test_abandon), T(test_abandon_in_line),
        T(test_wakes), T(test_overtaking) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
