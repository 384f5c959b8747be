/* The n-th allocation of dbm.h fails, for every n, over a program's whole life on SQLite and on a scripted server: nothing crashes, nothing
 * is left allocated, what fails says E_NOMEM, a unit of work is there as a whole or not at all, every connection is given back, and
 * the same call succeeds when there is memory again. In three ways: once, from there on until the call has failed, and from there on to
 * the very end. */
#include "scripted.h" /* and dbm_test.h, first */
#include "scenes.h"

static test_heap heap;
static long heap_faults(void) { return heap.failed; }
static void heap_stop(void) { test_heap_fail(&heap, 0); }

typedef enum way { ONCE, UNTIL_NOTICED, TO_THE_END } way;
static const char *const way_names[] = { "the n-th allocation", "the n-th and those after it", "the n-th and all after it" };

static void arm(way how, long n) {
    memset(&heap, 0, sizeof heap);
    if (how == ONCE) test_heap_fail(&heap, n);
    else test_heap_fail_all(&heap, n);
}

static void sweep(way how) {
    stage x;
    dbm_options options;
    long n, spared = 0, failing = 0;
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    stage_open(&x, &options, 2);
    x.what = way_names[how];
    x.faults = heap_faults;
    x.stop = heap_stop;
    x.lasting = how == TO_THE_END;
    for (n = 1;; n++) {
        arm(how, n);
        x.n = n;
        x.spared = 0;
        stage_play(&x);
        WANT(&x, test_heap_live(&heap) == 0 && heap.live_bytes == 0);
        if (heap.failed == 0) break;
        if (x.failed != 0) failing++;
        spared += x.spared;
    }
    printf("  SQLite, %s: %ld points, noticed at %ld, done without at %ld; the whole life takes %ld allocations\n", way_names[how], n - 1, failing,
           spared, heap.calls);
    assert_true(n > 200);
    stage_close(&x);
}
static void sqlite_once(void **state) { (void)state; sweep(ONCE); }
static void sqlite_until_noticed(void **state) { (void)state; sweep(UNTIL_NOTICED); }
static void sqlite_to_the_end(void **state) { (void)state; sweep(TO_THE_END); }

/* ---- a server ---------------------------------------------------------------------------------------------------------- */

static dbm_status server_life(const char *form, way how, int *failed) {
    static const dbm_adapter *const adapters[] = { &adapter_scripted, &adapter_stepped, &adapter_sharing };
    server *v = server_make();
    dbm_options options;
    dbm_manager *mgr = NULL;
    dbm_database *db;
    dbm_status st, rc = DBM_OK;
    long commits = 0;
    char url[64];
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    options.log = stage_quiet;
    options.clock = stage_clock;
    options.no_env = true;
    options.adapters = adapters;
    options.adapter_count = 3;
    *failed = 0;
    v->asks_credentials = true;
    v->clock = stage_clock;
    (void)snprintf(url, sizeof url, "%s://app:s3cr%%65t@h/%d", form, v->index);
#define TRY(call) do { \
        long before = heap.failed; \
        st = (call); \
        stage_now += 1000000; \
        if (st == DBM_OK) break; \
        CHECK_STATUS(st, DBM_E_NOMEM); \
        ++*failed; \
        if (how == TO_THE_END) break; \
        CHECK(heap.failed > before); \
        heap_stop(); \
        CHECK_STATUS(call, DBM_OK); \
        stage_now += 1000000; \
    } while (0)
    TRY(dbm_manager_create(&mgr, &options));
    TRY(dbm_add_database(mgr, DBM_CONFIG(.url = url, .pool.size = 2, .pool.max_overflow = -1, .pool.timeout_ms = 200, .statement_cache = 2, .init_sql = "set a; set b")));
    TRY(dbm_init_all(mgr));
    db = dbm_get(mgr, NULL);
    for (int round = 0; round < 4 && db != NULL; round++) {
        long before = heap.failed;
        int rows = 0;
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc, .autocommit = !db->transactions) {
            dbm_row *row;
            dbm_statement *p = NULL;
            dbm_exec(s, "write ?", round);
            DBM_EACH(s, each, "rows 3 x 2 text ?", "a text") {
                if (db->transactions) dbm_exec(s, "write inside"); /* the rows are held */
                if (dbm_status_of(s) == DBM_OK) CHECK(dbm_row_text(each, 1)[2] == '1');
                rows++;
            }
            if (dbm_query_one(s, &row, "rows 1 x 3") == DBM_OK) {
                const char *two = dbm_row_text(row, 2);
                CHECK(dbm_status_of(s) != DBM_OK || strcmp(two, "2") == 0);
            }
            dbm_prepare(s, "write later", &p);
            dbm_stmt_exec(p);
            if (db->savepoints) DBM_SAVEPOINT(s) dbm_exec(s, "write ?", "a point");
            if (db->transactions) {
                dbm_session inner;
                if (dbm_session_begin(db, NULL, &inner) == DBM_OK) (void)dbm_query_one(&inner, &row, "rows 2 x 1");
                (void)dbm_session_end(&inner);
            }
            dbm_exec(s, "write ? again", round);
        }
        CHECK(rc == DBM_OK ? rows == 3 : rc == DBM_E_NOMEM);
        if (rc != DBM_OK) ++*failed;
        CHECK(rc == DBM_OK || heap.failed > before || how == TO_THE_END);
        if (db->transactions && !v->as_sql) {
            CHECK(v->commits == commits + (rc == DBM_OK ? 1 : 0));
            commits = v->commits;
        }
        CHECK(v->results == 0);
        {
            dbm_stats_info s = stats_of(db);
            CHECK(s.out == 0 && s.idle == s.open && s.connecting == 0);
        }
        if (rc != DBM_OK && how == UNTIL_NOTICED) heap_stop();
        stage_now += 1000000;
    }
    if (mgr != NULL) CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    server_end_all();
    return rc;
#undef TRY
}

static void server_sweep(const char *form, way how) {
    long n, failing = 0;
    int failed;
    for (n = 1;; n++) {
        arm(how, n);
        (void)server_life(form, how, &failed);
        if (test_heap_live(&heap) != 0 || heap.live_bytes != 0) fail_msg("%s, %s, n = %ld: %ld blocks are left", form, way_names[how], n, heap.live);
        if (heap.failed == 0) break;
        if (failed != 0) failing++;
    }
    printf("  %s, %s: %ld points, noticed at %ld\n", form, way_names[how], n - 1, failing);
    assert_true(n > 30);
}
static void server_all(void **state) {
    static const char *const forms[] = { "scripted", "stepped", "sharing" };
    (void)state;
    for (size_t i = 0; i < 3; i++) for (int how = ONCE; how <= TO_THE_END; how++) server_sweep(forms[i], (way)how);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sqlite_once), cmocka_unit_test(sqlite_until_noticed), cmocka_unit_test(sqlite_to_the_end), cmocka_unit_test(server_all)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
