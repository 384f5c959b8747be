/* The n-th allocation of SQLite itself fails, for every n, over the scenes of a program's life. SQLite may do without the memory, or say
 * so; then the call fails with E_NOMEM, its unit of work is undone, nobody keeps a connection or a lock, and the same call
 * succeeds when there is memory again. In two ways: once, and from there on until the call has failed. SQLite's own small caches (lookaside)
 * are switched off, so that every allocation is one that can fail. */
#include "scenes.h"
#include <limits.h>

/* ---- SQLite's memory, counted ------------------------------------------------------------------------------------------ */

static sqlite3_mem_methods real_memory;
static long calls, fail_at, fail_more, failed, live;
static bool paused;

static bool may(void) {
    if (paused) return true;
    calls++;
    if (fail_at == 0 || calls < fail_at || calls > fail_at + fail_more) return true;
    failed++;
    return false;
}
static void *memory_alloc(int size) {
    void *p = may() ? real_memory.xMalloc(size) : NULL;
    if (p != NULL) live++;
    return p;
}
static void memory_free(void *p) {
    if (p != NULL) live--;
    real_memory.xFree(p);
}
static void *memory_resize(void *p, int size) { return may() ? real_memory.xRealloc(p, size) : NULL; }

static void memory_begin(void) {
    sqlite3_mem_methods ours;
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    if (real_memory.xMalloc == NULL) assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory), SQLITE_OK);
    ours = real_memory;
    ours.xMalloc = memory_alloc;
    ours.xFree = memory_free;
    ours.xRealloc = memory_resize;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &ours), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
    fail_at = 0;
    paused = true;
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    paused = false;
}

static test_heap heap;
static long memory_faults(void) { return failed; }
static void memory_stop(void) { fail_at = 0; }
static void memory_pause(bool on) { paused = on; }

/* ---- sweeps ------------------------------------------------------------------------------------------------------------
 * Scene by scene, each time with a new manager, so that all is cold; the scenes that come before it run undisturbed. */

static void arm(long n, long more) {
    calls = failed = 0;
    fail_at = n;
    fail_more = more;
}
static void raw_close(stage *x) {
    sqlite3_close(x->raw);
    x->raw = NULL;
}
static void play_undisturbed(stage *x, int scene) {
    arm(0, 0);
    stage_play_some(x, scene, scene + 1);
}

/* One scene with a fault at its n-th allocation. False: it has fewer. */
static bool once(stage *x, int scene, long n, long more) {
    enum { CREATE = 1, LOAD = 2, ADD = 4, INIT = 6, TABLES = 8, ELSEWHERE = 9, CALLS = (int)SCENES - 7, CLOSE = (int)SCENES - 2, FREE = (int)SCENES - 1 };
    bool met;
    x->n = n;
    if (scene < SCENE_SESSIONS) stage_files_gone(x);
    if (scene > CREATE) play_undisturbed(x, CREATE);
    if (scene > LOAD) play_undisturbed(x, LOAD);
    if (scene > ADD) play_undisturbed(x, ADD);
    if (scene > INIT) play_undisturbed(x, INIT);
    if (scene == ELSEWHERE) play_undisturbed(x, TABLES);
    if (scene == CALLS) play_undisturbed(x, ELSEWHERE);
    if (scene >= SCENE_SESSIONS && scenes[scene].unit != 0 && x->raw != NULL) {
        char sql[60];
        (void)snprintf(sql, sizeof sql, "DELETE FROM parts WHERE unit = %d", scenes[scene].unit);
        WANT(x, sqlite3_exec(x->raw, sql, NULL, NULL, NULL) == SQLITE_OK);
    }
    if (scene < SCENE_SESSIONS || scene >= CLOSE) raw_close(x);
    arm(n, more);
    stage_play_some(x, scene, scene + 1);
    met = failed != 0;
    arm(0, 0);
    if (scene != 0 && scene < CLOSE) play_undisturbed(x, CLOSE);
    if (scene != 0 && scene < FREE) play_undisturbed(x, FREE);
    WANT(x, x->mgr == NULL && test_heap_live(&heap) == 0);
    return met;
}

static void sweep(const char *what, long more) {
    stage x;
    dbm_options options;
    long points = 0, noticed = 0;
    memory_begin();
    memset(&options, 0, sizeof options);
    memset(&heap, 0, sizeof heap);
    options.allocator = test_heap_allocator(&heap);
    stage_open(&x, &options, 2);
    x.what = what;
    x.faults = memory_faults;
    x.stop = memory_stop;
    x.pause = memory_pause;
    for (int scene = 0; scene < SCENES; scene++) {
        long n = 0, base;
        raw_close(&x);
        base = live;
        x.failed = 0;
        while (once(&x, scene, n + 1, more)) n++;
        raw_close(&x);
        WANT(&x, live == base);
        points += n;
        noticed += x.failed;
        if (getenv("DBM_TEST_VERBOSE") != NULL) printf("    %-22s %5ld points, noticed at %d\n", scenes[scene].name, n, x.failed);
    }
    printf("  %s: %ld points, noticed at %ld, done without at %ld\n", what, points, noticed, points - noticed);
    assert_true(points > 1000);
    stage_close(&x);
}
static void each_once(void **state) { (void)state; sweep("the n-th allocation", 0); }
static void until_noticed(void **state) { (void)state; sweep("the n-th and those after it", LONG_MAX / 2); }

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_once), cmocka_unit_test(until_noticed) };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    (void)sqlite3_shutdown();
    return rc;
}
