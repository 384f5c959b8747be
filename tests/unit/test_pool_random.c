/* Random schedules of the pool: one thread and its invariants after every step, then many threads with a watcher that looks under the lock.
 * Each run draws new seeds and prints them; DBM_TEST_SEED=n runs that one. */
#include "scripted.h"

#if defined(__SANITIZE_THREAD__)
#  define SLOW 4
#elif defined(__SANITIZE_ADDRESS__)
#  define SLOW 2
#else
#  define SLOW 1
#endif

static int tear_down(void **state) {
    (void)state;
    return server_end_all();
}

typedef struct dice { uint64_t state; } dice;
static uint32_t roll(dice *d, uint32_t n) {
    d->state = d->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(d->state >> 33) % n;
}

static uint64_t first_seed(void) {
    const char *given = getenv("DBM_TEST_SEED");
    return given != NULL && given[0] != 0 ? (uint64_t)strtoull(given, NULL, 10) : (uint64_t)real_us() % 1000000007u;
}
static int rounds(int n) { return getenv("DBM_TEST_SEED") != NULL ? 1 : n; }

static uint64_t the_seed;
static const char *the_form;
#define HOLDS(x) do { if (!(x)) { fprintf(stderr, "seed %llu, %s\n", (unsigned long long)the_seed, the_form); check_failed(__FILE__, __LINE__, #x); } } while (0)

/* What is true at every moment when the lock is held. */
static void look(dbm__pool *pool) {
    int idle = 0, empty = 0, waiting = 0;
    uint64_t last = 0;
    dbm__lock_take(&pool->lock);
    bool waited = pool->first != NULL;
    for (int i = 0; i < pool->slot_count; i++) {
        dbm__word state = dbm__load(&dbm__pool_slot(pool, i)->state);
        if (waited) HOLDS(state != DBM__SLOT_IDLE); /* nobody waits while there is an idle connection */
        HOLDS(state <= DBM__SLOT_EMPTY);
        idle += state == DBM__SLOT_IDLE;
        empty += state == DBM__SLOT_EMPTY;
    }
    if (waited) HOLDS(dbm__load(&pool->slow) & DBM__SLOW_TAKE);
    else if (pool->state == DBM__POOL_OPEN) HOLDS(!(dbm__load(&pool->slow) & DBM__SLOW_TAKE)); /* and nobody is sent the long way for nothing */
    HOLDS(empty == pool->empty);
    for (const dbm__taking *w = pool->first; w != NULL; w = w->next) {
        HOLDS(w->ticket > last); /* in order of arrival */
        HOLDS(w->got == DBM__GOT_NOTHING);
        HOLDS(w->next == NULL ? pool->last == w : w->next->u.previous == w);
        last = w->ticket;
        waiting++;
    }
    HOLDS(waiting == pool->waiting);
    HOLDS(idle + empty + pool->connecting <= pool->slot_count);
    HOLDS(pool->connecting >= 0);
    HOLDS(pool->open >= idle && pool->open + empty <= pool->slot_count);
    if (pool->state != DBM__POOL_OPEN || pool->open > pool->size || pool->leaks_out > 0) HOLDS(dbm__load(&pool->slow) != 0);
    dbm__lock_give(&pool->lock);
}

/* ---- tasks: checkout and return in steps, see test_pool_steps.c ---- */
enum { TASKS = 10 };
typedef struct task {
    enum { TASK_NONE, TASK_TAKING, TASK_HAS, TASK_GIVING } at;
    dbm__taker by;
    dbm__taking t;
    dbm__slot *slot;
    int64_t deadline_us, until_us;
    int want, fd;
    dbm__word woken;
} task;
static task tasks[TASKS];
static dbm_database *tasks_db;

static void wake(void *ud) {
    no_lock_is_held(tasks_db);
    dbm__store_release(&((task *)ud)->woken, 1);
}

static void task_abandon(task *k) {
    dbm__taking_abandon(&k->t);
    dbm__taker_end(&k->by);
    k->at = TASK_NONE;
}

static void task_go(task *k, dbm_status heard) {
    bool may_block = k->want == DBM__STEP_BLOCKS;
    k->want = k->at == TASK_TAKING ? dbm__taking_step(&k->t, heard, may_block, k->deadline_us) : dbm__giving_step(k->slot, heard, may_block);
    if (k->at == TASK_TAKING && k->want == DBM__STEP_QUEUED) {
        if (dbm__taker_next(&k->by, &k->until_us) != NULL) k->until_us = 0;
        else if (k->until_us > k->deadline_us) k->until_us = k->deadline_us;
    } else if (k->want != DBM_STEP_DONE && k->want != DBM__STEP_BLOCKS) {
        dbm__slot *slot = k->at == TASK_TAKING ? k->t.u.slot : k->slot;
        k->fd = slot->way.fd;
        k->until_us = slot->way.until_us;
    }
    if (k->want != DBM_STEP_DONE) return;
    if (k->at == TASK_TAKING) {
        dbm__taker_end(&k->by);
        dbm_status st = k->t.status;
        HOLDS(st == DBM_OK || (st == dbm_last_error()->status && (st == DBM_E_TIMEOUT || st == DBM_E_POOL_TIMEOUT || st == DBM_E_CONNECT || st == DBM_E_AUTH || st == DBM_E_LOST
              || st == DBM_E_SQL || st == DBM_E_CLOSED)));
        HOLDS((st == DBM_OK) == (k->t.u.slot != NULL));
    }
    k->slot = k->at == TASK_TAKING ? k->t.u.slot : NULL;
    k->at = k->slot != NULL ? TASK_HAS : TASK_NONE;
}

/* One thing that the task's loop would do, or its program. */
static void task_act(task *k, dice *d, int64_t now) {
    dbm_status heard = DBM_OK;
    switch (k->at) {
    case TASK_NONE:
        memset(k, 0, sizeof *k);
        k->deadline_us = roll(d, 3) == 0 ? now + 1000 * (int64_t)roll(d, 300) : INT64_MAX;
        dbm__taker_init(&k->by, tasks_db, wake, k);
        dbm__taking_init(&k->t, &k->by, "task");
        k->at = TASK_TAKING;
        task_go(k, DBM_OK);
        return;
    case TASK_HAS:
        if (roll(d, 8) == 0) k->slot->connection.broken = true;
        if (roll(d, 8) == 0) k->slot->reset_full = true;
        k->at = TASK_GIVING;
        k->want = 0;
        if (dbm__giving_start(k->slot)) return;
        k->slot = NULL;
        k->at = TASK_NONE;
        return;
    case TASK_TAKING:
        if (roll(d, 12) == 0) {
            task_abandon(k);
            return;
        }
        if (k->want == DBM__STEP_QUEUED) {
            if (dbm__swap(&k->woken, 0) == 0 && now < k->until_us) return;
            break;
        }
        if (k->want != DBM__STEP_BLOCKS) heard = dbm__net_wait(tasks_db->host, k->fd, k->want & DBM_STEP_BOTH, now);
        if (heard == DBM_E_TIMEOUT && now < k->until_us) return;
        break;
    case TASK_GIVING:
        if (k->want == DBM_STEP_DONE || k->want == DBM__STEP_BLOCKS) break;
        heard = dbm__net_wait(tasks_db->host, k->slot->way.fd, k->want & DBM_STEP_BOTH, now);
        if (heard == DBM_E_TIMEOUT && now < k->slot->way.until_us) return;
        break;
    }
    task_go(k, heard);
}

/* Slots that tasks have, and those that they connect. */
static int tasks_out(int *connecting) {
    int out = 0;
    *connecting = 0;
    for (int i = 0; i < TASKS; i++) {
        const task *k = &tasks[i];
        bool takes = k->at == TASK_TAKING && !(k->want == DBM__STEP_QUEUED && k->t.got == DBM__GOT_NOTHING) && k->t.u.slot != NULL;
        bool connects = takes && k->t.got == DBM__GOT_EMPTY;
        if (k->at == TASK_TAKING && k->t.got != DBM__GOT_NOTHING && k->want == DBM__STEP_QUEUED) HOLDS(k->woken); /* nobody is left asleep */
        if (connects) ++*connecting;
        else if (k->slot != NULL || takes) out++;
    }
    return out;
}

/* What is true besides when nobody is inside of a call: `out` sessions, of which `broken` have no connection any more. total = idle + active +
 * connecting. */
static void settled(dbm_database *db, server *v, int sessions) {
    dbm__pool *pool = db->pool;
    look(pool);
    dbm_stats_info s = stats_of(db);
    int empty = 0, held = 0, connecting, out = sessions + tasks_out(&connecting);
    for (int i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        bool is_idle = dbm__load(&slot->state) == DBM__SLOT_IDLE, is_empty = dbm__load(&slot->state) == DBM__SLOT_EMPTY;
        empty += is_empty;
        if (is_idle) HOLDS(slot->connection.open && !slot->connection.broken && !slot->reset_full);
        if (is_idle || is_empty) HOLDS(!slot->way.on);
        if (is_empty) HOLDS(!slot->connection.open && slot->connection.cache == NULL);
        if (is_idle || is_empty) HOLDS(dbm__load(&slot->site) == 0 && dbm__load(&slot->holder) == 0 && !slot->leak_reported);
        if (!is_idle && !is_empty && slot->connection.open) held++;
    }
    HOLDS(s.connecting == connecting && s.waiting <= TASKS);
    HOLDS((dbm__load(&pool->slow) != 0) == (pool->state != DBM__POOL_OPEN || pool->open > pool->size || pool->leaks_out > 0 || pool->first != NULL));
    HOLDS(s.out == out);
    HOLDS(s.idle + s.out + s.connecting + empty == pool->slot_count);
    HOLDS(s.open == s.idle + held);
    HOLDS(s.open <= server_live(v) && s.open + connecting >= server_live(v));
    HOLDS(s.connects - s.disconnects == (uint64_t)s.open);
    HOLDS(out != 0 || s.open <= s.size); /* nothing is kept beyond the pool's size */
    HOLDS(s.down == false || s.open == 0);
}

/* ---- one thread ----------------------------------------------------------------------------------------------------------------- */

static void plan_something(server *v, dice *d) {
    static const int kinds[] = { DBM_OP_CONNECT, DBM_OP_CONNECT, DBM_OP_BEGIN, DBM_OP_COMMIT, DBM_OP_ROLLBACK, DBM_OP_EXECUTE, DBM_OP_FETCH, DBM_OP_PING, DBM_OP_RESET,
        DBM_OP_PREPARE, DBM_OP_SAVEPOINT, ON_ALIVE };
    int kind = kinds[roll(d, sizeof kinds / sizeof kinds[0])];
    if (v->planned > 20) plan_clear(v);
    switch (roll(d, 3)) {
    case 0: plan_fail(v, kind, 1 + (long)roll(d, 3), DBM_E_CONNECT, "08001"); break;
    case 1: plan(v, kind, 1 + (long)roll(d, 3), LOSE); break;
    default: plan_fail(v, kind, 1 + (long)roll(d, 3), kind == DBM_OP_CONNECT ? DBM_E_AUTH : DBM_E_SQL, "28P01"); break;
    }
}

static void use(dbm_session *s, dice *d) {
    static const char *const sql[] = { "write", "write 2", "rows 3 x 1", "set x", "fail 23505", "fail 40001" };
    switch (roll(d, 8)) {
    case 0: (void)dbm_commit(s); break;
    case 1: (void)dbm_rollback(s); break;
    case 2: DBM_EACH(s, row, "rows 4 x 2") if (roll(d, 3) == 0) break;
        break;
    case 3: DBM_SAVEPOINT(s) { (void)dbm_exec(s, "write"); if (roll(d, 2) == 0) break; }
        break;
    case 4: (void)dbm_clear_error(s); break;
    default: (void)dbm_exec(s, sql[roll(d, sizeof sql / sizeof sql[0])]); break;
    }
}

static void test_one_thread(void **state) {
    const char *forms[] = { "scripted", "socketed", "stepped" };
    enum { STEPS = 3000 / SLOW, MOST = 12 };
    uint64_t seed = first_seed();
    (void)state;
    print_message("seeds %llu and following\n", (unsigned long long)seed);
    for (int round = 0; round < rounds(12); round++) {
        dbm_session s[MOST];
        dbm_config config;
        dice d = { seed + (uint64_t)round };
        int out = 0;
        the_seed = d.state;
        servers_made = 0;
        server *v = server_make();
        if (roll(&d, 2) == 0) v->gate = "file";
        v->no_prepare = roll(&d, 4) == 0;
        dbm_manager *mgr = server_manager_virtual();
        memset(&config, 0, sizeof config);
        memset(s, 0, sizeof s);
        config.pool.size = 1 + (int)roll(&d, 4);
        config.pool.max_overflow = roll(&d, 2) == 0 ? -1 : 1 + (int)roll(&d, 3);
        bool with_tasks = the_seed % 2 != 0;
        config.pool.timeout_ms = with_tasks ? 300 : -1;
        config.pool.min_idle = (int)roll(&d, 2);
        config.pool.idle_timeout_ms = 5000;
        config.pool.recycle_ms = roll(&d, 2) == 0 ? -1 : 60000;
        config.pool.reset_on_return = roll(&d, 5) == 0 ? DBM_RESET_FULL : DBM_RESET_DEFAULT;
        config.leak_warning_ms = 2000;
        config.statement_cache = roll(&d, 2) == 0 ? 1 : 64;
        the_form = forms[roll(&d, 3)];
        dbm_database *db = tasks_db = server_add(mgr, v, the_form, &config);
        v->write_first = roll(&d, 2) == 0;
        for (int step = 0; step < STEPS; step++) {
            int i = (int)roll(&d, MOST);
            bool is_out = s[i].slot != NULL;
            for (uint32_t n = with_tasks ? roll(&d, 6) : 0; n > 0; n--) task_act(&tasks[roll(&d, TASKS)], &d, virtual_clock(NULL));
            /* A thread that waits where all the others are tasks of its own: time must pass for it. */
            bool waits = with_tasks && (dbm__pool_idle(db->pool) == 0 || db->pool->first != NULL);
            uint32_t what = roll(&d, 12);
            if (waits && (what < 3 || what == 9) && roll(&d, 16) != 0) what = 11;
            virtual_step = waits ? 100000 : with_tasks ? 10000 : 0; /* even where one is idle: it may turn out to be dead */
            switch (what) {
            case 0: case 1: case 2:
                if (!is_out && dbm_session_begin(db, NULL, &s[i]) == DBM_OK) out++;
                break;
            case 3: case 4:
                if (is_out) {
                    (void)dbm_session_end(&s[i]);
                    out--;
                }
                break;
            case 5: clock_move_ms(roll(&d, 10) == 0 ? roll(&d, 70000) : roll(&d, 300)); break;
            case 6: CHECK_STATUS(dbm_maintain(mgr), DBM_OK); break;
            case 7: server_kill(v, roll(&d, 10) == 0 ? 0 : (int)roll(&d, (uint32_t)v->connections + 1)); break;
            case 8: plan_something(v, &d); break;
            case 9: DBM_SESSION_ON(db, b) use(b, &d);
                break;
            default:
                if (is_out && v->gate == NULL) use(&s[i], &d); /* two writers of one thread would wait for each other */
                break;
            }
            virtual_step = 0;
            settled(db, v, out);
        }
        plan_clear(v);
        bool close_first = with_tasks && roll(&d, 2) == 0; /* with tasks at every point */
        if (close_first) dbm__pool_close(db->pool);
        for (int i = 0; i < TASKS; i++) {
            for (int n = (int)roll(&d, 30); n > 0 || tasks[i].at == TASK_HAS || tasks[i].at == TASK_GIVING; n--) if (tasks[i].at != TASK_NONE) task_act(&tasks[i], &d, virtual_clock(NULL));
            settled(db, v, out);
            if (tasks[i].at == TASK_TAKING) task_abandon(&tasks[i]);
            settled(db, v, out);
        }
        for (int i = 0; i < MOST; i++) if (s[i].slot != NULL) (void)dbm_session_end(&s[i]);
        settled(db, v, 0);
        CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
        settled(db, v, 0);
        HOLDS(server_live(v) == 0);
        dbm_manager_free(mgr);
    }
}

/* ---- many threads ------------------------------------------------------------------------------------------------------------------ */

static int stop;
static dbm_manager *the_manager;

static void job_random(worker *w) {
    dice d = { the_seed * 31 + (uint64_t)w->number };
    long n = 0;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        dbm_session_options options;
        memset(&options, 0, sizeof options);
        options.timeout_ms = roll(&d, 4) == 0 ? 1 + (int)roll(&d, 5) : 0;
        n++;
        if (roll(&d, 3) == 0) {
            DBM_SESSION_WITH(the_manager, NULL, s, &options) {
                use(s, &d);
                if (roll(&d, 8) == 0) DBM_SESSION(the_manager, NULL, t) use(t, &d);
            }
        } else {
            dbm_session s, copy;
            if (dbm_session_begin(w->db, &options, &s) != DBM_OK) {
                dbm_status st = dbm_last_error()->status;
                HOLDS(st == DBM_E_TIMEOUT || st == DBM_E_CONNECT || st == DBM_E_AUTH || st == DBM_E_LOST || st == DBM_E_POOL_TIMEOUT || st == DBM_E_SQL || st == DBM_E_CLOSED);
                if (st == DBM_E_CLOSED) break;
                pause_us((long)roll(&d, 200));
                continue;
            }
            copy = s;
            for (uint32_t i = roll(&d, 4); i > 0; i--) use(&s, &d);
            if (roll(&d, 16) == 0) pause_us((long)roll(&d, 2000));
            (void)dbm_session_end(&s);
            if (roll(&d, 16) == 0) HOLDS(dbm_session_end(&copy) == DBM_E_MISUSE);
        }
    }
    w->number = n > 1000000 ? 1000000 : (int)n;
}

/* The same with tasks. */
static void job_loop(worker *w) {
    dice d = { the_seed * 37 + (uint64_t)w->number };
    task own[4];
    long n = 0;
    memset(own, 0, sizeof own);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        task *k = &own[roll(&d, 4)];
        bool took = k->at == TASK_TAKING;
        task_act(k, &d, real_us());
        if (took && k->at == TASK_HAS) n++;
        if (roll(&d, 64) == 0) pause_us((long)roll(&d, 200));
    }
    for (int i = 0; i < 4; i++) {
        if (own[i].at == TASK_TAKING) task_abandon(&own[i]);
        while (own[i].at != TASK_NONE) task_act(&own[i], &d, real_us());
    }
    w->number = n > 1000000 ? 1000000 : (int)n;
}

static void test_threads(void **state) {
    enum { N = 8 };
    static worker w[N];
    const char *forms[] = { "scripted", "socketed", "stepped", "sharing" };
    uint64_t seed = first_seed();
    (void)state;
    print_message("seeds %llu and following\n", (unsigned long long)seed);
    for (int round = 0; round < rounds(8); round++) {
        dbm_config config;
        dice d = { seed + (uint64_t)round };
        the_seed = d.state;
        servers_made = 0;
        server *v = server_make();
        memset(&config, 0, sizeof config);
        config.pool.size = 1 + (int)roll(&d, 4);
        config.pool.max_overflow = roll(&d, 2) == 0 ? -1 : 1 + (int)roll(&d, 4);
        config.pool.timeout_ms = 200;
        config.pool.recycle_ms = roll(&d, 2) == 0 ? -1 : 30;
        config.pool.idle_timeout_ms = 10;
        config.pool.min_idle = (int)roll(&d, 2);
        config.leak_warning_ms = roll(&d, 2) == 0 ? 0 : 1;
        if (roll(&d, 2) == 0) v->gate = "file";
        the_form = forms[round % 4];
        the_manager = server_manager(NULL);
        dbm_database *db = tasks_db = server_add(the_manager, v, the_form, &config);
        int loops = (int)roll(&d, 3);
        __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
        for (int i = 0; i < N; i++) {
            worker_start(&w[i], db);
            w[i].number = i;
            worker_do(&w[i], i < loops ? job_loop : job_random);
        }
        int64_t until = real_us() + 500000;
        while (real_us() < until) {
            look(db->pool);
            if (roll(&d, 20) == 0) plan_something(v, &d);
            if (roll(&d, 40) == 0) server_kill(v, 0);
            if (roll(&d, 30) == 0) CHECK_STATUS(dbm_maintain(the_manager), DBM_OK);
            if (roll(&d, 4) == 0) pause_us((long)roll(&d, 300));
        }
        bool close_first = roll(&d, 2) == 0; /* with everybody still at work */
        if (close_first) CHECK_STATUS(dbm_close_all(the_manager), DBM_OK);
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
        long total = 0, by_tasks = 0;
        for (int i = 0; i < N; i++) {
            (void)worker_wait(&w[i]);
            total += w[i].number;
            if (i < loops) by_tasks += w[i].number;
            worker_end(&w[i]);
        }
        if (strcmp(the_form, "sharing") != 0) settled(db, v, 0);
        else look(db->pool);
        print_message("%s: %ld sessions, %ld by tasks, %llu connects, %llu waits\n", the_form, total, by_tasks, (unsigned long long)stats_of(db).connects, (unsigned long long)stats_of(db).waits);
        HOLDS(total > 20);
        HOLDS(v->live_most <= db->pool->slot_count);
        HOLDS(strcmp(the_form, "sharing") != 0 || v->live_most == 1);
        dbm_manager_free(the_manager);
        HOLDS(server_live(v) == 0);
    }
}

int main(void) {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = { T(test_one_thread), T(test_threads) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
