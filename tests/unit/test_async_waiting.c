/* Tasks that wait for a connection: what they cost, in which order they are served, what ends their wait; and a loop that waits uses no processor. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"
#include <sys/resource.h>

enum { MANY = 10000 };
typedef struct waiter { dbm_session s; dbm_session_options options; dbm_task_handle handle; int told; dbm_status status; } waiter;
static waiter all[MANY];
static int served[MANY], served_count, told_count;
static test_heap heap;
static server *v;
static dbm_manager *mgr;
static dbm_database *db;
static dbm_loop *loop;

static void open_with(int size, int timeout_ms) {
    dbm_options options;
    dbm_config config;
    memset(&heap, 0, sizeof heap);
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    memset(all, 0, sizeof all);
    served_count = told_count = 0;
    options.allocator = test_heap_allocator(&heap);
    config.pool.size = size;
    config.pool.max_overflow = -1;
    config.pool.timeout_ms = timeout_ms;
    v = server_make();
    mgr = server_manager(&options);
    db = server_add(mgr, v, "stepped", &config);
    CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
}
static void close_it(void) {
    CHECK(stats_of(db).waiting == 0 && stats_of(db).out == 0);
    dbm_loop_free(loop);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    (void)server_end_all();
    CHECK(test_heap_live(&heap) == 0);
}

static dbm_task_status waits(dbm_task *t) {
    waiter *w = (waiter *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &w->s));
    served[served_count++] = (int)(w - all);
    DBM_AWAIT(t, dbm_async_exec(&w->s, "write"));
    DBM_TASK_END(t);
}
static dbm_task_status waits_a_while(dbm_task *t) {
    waiter *w = (waiter *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm__async_session_on(t, db, &w->options, &w->s, DBM__SITE));
    served[served_count++] = (int)(w - all);
    DBM_TASK_END(t);
}
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    waiter *w = (waiter *)ud;
    (void)error;
    w->told++;
    w->status = status;
    told_count++;
}
static void spawn(int i, dbm_task_fn fn, bool told) {
    all[i].handle = told ? dbm_spawn_opt(loop, fn, &all[i], .on_end = on_end, .on_end_ud = &all[i]) : dbm_spawn(loop, fn, &all[i]);
    CHECK(all[i].handle.loop != NULL);
}

/* 10,000 of them: 256 bytes each, in the order in which they came, and each has its turn. */
static void what_they_cost(void **state) {
    dbm_session held;
    long before, each;
    (void)state;
    open_with(1, 600000);
    for (int i = 0; i < 2; i++) spawn(i, waits, false); /* what the loop has one of is made */
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK);
    served_count = 0;
    CHECK_STATUS(dbm_session_begin(db, NULL, &held), DBM_OK);
    before = heap.live_bytes;
    for (int i = 0; i < MANY; i++) spawn(i, waits, false);
    CHECK_STATUS(dbm_loop_step(loop, 0), DBM_OK);
    CHECK(stats_of(db).waiting == MANY && served_count == 0);
    each = (heap.live_bytes - before + MANY - 1) / MANY;
    print_message("a task that waits for a connection: %ld bytes\n", each);
    assert_true(each <= 256);
    CHECK_STATUS(dbm_session_end(&held), DBM_OK);
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK);
    CHECK(served_count == MANY);
    for (int i = 0; i < MANY; i++) if (served[i] != i) fail_msg("task %d was number %d", served[i], i);
    CHECK(stats_of(db).timeouts == 0);
    close_it();
}

/* Some are cancelled, some give up by a limit of their own, a thread waits among them; the others are served in order. */
static void some_leave(void **state) {
    enum { SOME = 1000 };
    dbm_session held;
    worker w;
    int last = -1, most = 0;
    (void)state;
    open_with(2, 600000);
    CHECK_STATUS(dbm_session_begin(db, NULL, &held), DBM_OK);
    worker_start(&w, db);
    worker_do(&w, job_begin);
    CHECK_STATUS(worker_wait(&w), DBM_OK);
    for (int i = 0; i < SOME; i++) {
        all[i].options.timeout_ms = i % 5 == 2 ? 1000 : i % 5 == 3 ? 600000 : 0;
        spawn(i, i % 5 == 2 || i % 5 == 3 ? waits_a_while : waits, true);
    }
    CHECK_STATUS(dbm_loop_step(loop, 0), DBM_OK);
    CHECK(stats_of(db).waiting == SOME);
    for (int i = 0; i < SOME; i += 5) CHECK_STATUS(dbm_task_cancel(all[i].handle), DBM_OK);
    while (told_count < SOME * 2 / 5) CHECK_STATUS(dbm_loop_step(loop, 10000), DBM_OK);
    CHECK(stats_of(db).waiting == SOME * 3 / 5 && told_count == SOME * 2 / 5);
    worker_do(&w, job_end);
    CHECK_STATUS(worker_wait(&w), DBM_OK);
    CHECK_STATUS(dbm_session_end(&held), DBM_OK);
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK);
    worker_end(&w);
    for (int i = 0; i < SOME; i++) {
        CHECK(all[i].told == 1);
        CHECK_STATUS(all[i].status, i % 5 == 0 ? DBM_E_CANCELLED : i % 5 == 2 ? DBM_E_TIMEOUT : DBM_OK);
    }
    CHECK(served_count == SOME * 3 / 5);
    for (int i = 0; i < served_count; i++) {
        if (served[i] < last) most++;
        else last = served[i];
    }
    CHECK(most == 0);
    close_it();
}

/* All give up at once, by the pool's limit: each by itself, with its own failure, and the queue is empty then. */
static void all_give_up(void **state) {
    dbm_session held;
    (void)state;
    open_with(1, 100);
    CHECK_STATUS(dbm_session_begin(db, NULL, &held), DBM_OK);
    for (int i = 0; i < MANY; i++) spawn(i, waits, true);
    CHECK_STATUS(dbm_loop_run(loop, 60000), DBM_OK);
    for (int i = 0; i < MANY; i++) {
        CHECK(all[i].told == 1);
        CHECK_STATUS(all[i].status, DBM_E_POOL_TIMEOUT);
    }
    CHECK(stats_of(db).timeouts == MANY && stats_of(db).waiting == 0);
    CHECK_STATUS(dbm_session_end(&held), DBM_OK);
    spawn(0, waits, true);
    CHECK_STATUS(dbm_loop_run(loop, 60000), DBM_OK);
    CHECK_STATUS(all[0].status, DBM_OK);
    close_it();
}

/* The database closes under them, and the loop goes with them. */
static void all_are_sent_away(void **state) {
    dbm_session held;
    (void)state;
    for (int how = 0; how < 2; how++) {
        open_with(1, 600000);
        CHECK_STATUS(dbm_session_begin(db, NULL, &held), DBM_OK);
        for (int i = 0; i < MANY; i++) spawn(i, waits, true);
        CHECK_STATUS(dbm_loop_step(loop, 0), DBM_OK);
        CHECK(stats_of(db).waiting == MANY);
        if (how == 0) {
            dbm__pool_close(db->pool);
            CHECK_STATUS(dbm_loop_run(loop, 60000), DBM_OK);
        } else {
            dbm_loop_free(loop);
            loop = NULL;
        }
        for (int i = 0; i < MANY; i++) {
            CHECK(all[i].told == 1);
            CHECK_STATUS(all[i].status, DBM_E_CLOSED);
        }
        CHECK(stats_of(db).waiting == 0);
        CHECK_STATUS(dbm_session_end(&held), DBM_OK);
        close_it();
    }
}

/* The first one sits out the pause after a connect that failed, and sleeps: the loop does not turn for it. */
static void the_pause_is_slept_through(void **state) {
    dbm_session held;
    int turns = 0;
    (void)state;
    open_with(2, 600000);
    CHECK_STATUS(dbm_session_begin(db, NULL, &held), DBM_OK);
    (void)plan_fail(v, DBM_OP_CONNECT, 1, DBM_E_CONNECT, "08001");
    spawn(0, waits, true);
    spawn(1, waits, true);
    for (; all[0].told == 0 || all[1].told == 0; turns++) CHECK(dbm_loop_step(loop, 10000) <= DBM_DONE);
    CHECK_STATUS(all[0].status, DBM_OK);
    CHECK_STATUS(all[1].status, DBM_OK);
    CHECK(stats_of(db).connect_failures == 1);
    print_message("%d turns\n", turns);
    assert_true(turns < 40);
    CHECK_STATUS(dbm_session_end(&held), DBM_OK);
    close_it();
}

/* ---- no work, no processor ---- */

static dbm_task_status sits(dbm_task *t) {
    waiter *w = (waiter *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &w->s));
    DBM_AWAIT(t, dbm_async_exec(&w->s, "write"));
    DBM_AWAIT(t, dbm_async_sleep(t, 60000));
    DBM_TASK_END(t);
}
static long cpu_us(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (long)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + (long)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Open sessions, tasks that sleep, tasks that wait for a connection, a statement that the server is slow with: until something happens the loop waits once. */
static void an_idle_loop(void **state) {
    long turns, cpu;
    int64_t until;
    (void)state;
    open_with(3, 600000);
    for (int i = 0; i < 3; i++) spawn(i, sits, true);
    CHECK_STATUS(dbm_loop_run(loop, 30), DBM_E_TIMEOUT);
    (void)plan(v, DBM_OP_EXECUTE, 1, DROP);
    for (int i = 3; i < 100; i++) spawn(i, waits, true);
    CHECK_STATUS(dbm_loop_run(loop, 30), DBM_E_TIMEOUT);
    CHECK(stats_of(db).waiting == 97 && stats_of(db).out == 3);
    cpu = cpu_us();
    until = real_us() + 300000;
    for (turns = 0; real_us() < until; turns++) CHECK_STATUS(dbm_loop_step(loop, (int)((until - real_us() + 999) / 1000)), DBM_OK);
    cpu = cpu_us() - cpu;
    print_message("300 ms: %ld turns, %ld us of the processor\n", turns, cpu);
    assert_true(turns <= 3);
    assert_true(cpu < 30000);
    dbm_loop_free(loop);
    loop = NULL;
    for (int i = 0; i < 100; i++) CHECK(all[i].told == 1);
    close_it();
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(what_they_cost), cmocka_unit_test(some_leave), cmocka_unit_test(all_give_up), cmocka_unit_test(all_are_sent_away),
                                        cmocka_unit_test(the_pause_is_slept_through), cmocka_unit_test(an_idle_loop) };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
