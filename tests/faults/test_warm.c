/* cc: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
/* Once warm, dbm.h allocates nothing: not through its allocator, not behind its back. One pass is a checkout and a return for each
 * kind of work: 64 statements in rotation with rows of 0 to 4 KB, loops, single rows, scans, prepared handles, values of all types, a
 * nested block, savepoints, calls on the database. The first pass may allocate; no later one does. What can't be kept for ever (a
 * cache smaller than the rotation, rows put aside) stays bounded. */
#include "dbm_test.h"

/* ---- every allocation of this program's objects, the allocator's own aside ------------------------------------------------ */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
static long behind; /* calls that did not come through the allocator */
static volatile int inside; /* the compiler thinks that malloc() looks at nothing of ours */
void *__wrap_malloc(size_t size) {
    if (inside == 0) behind++;
    return __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size) {
    if (inside == 0) behind++;
    return __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t size) {
    if (inside == 0) behind++;
    return __real_realloc(p, size);
}

static test_heap heap;
static void *inner_alloc(void *ud, size_t size) {
    void *p;
    inside++;
    p = test_heap_alloc(ud, size);
    inside--;
    return p;
}
static void *inner_resize(void *ud, void *block, size_t size) {
    void *p;
    inside++;
    p = test_heap_resize(ud, block, size);
    inside--;
    return p;
}

/* ---- the fixture ------------------------------------------------------------------------------------------------------------ */

enum { STATEMENTS = 64, PASSES = 6, SETTLED = 2, LONGEST = 4096 };
static test_dir dir;
static dbm_manager *mgr;
static dbm_database *db;
static char texts[STATEMENTS][120];
static char filler[LONGEST + 1];

static void quiet(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    (void)ud;
    (void)event_id;
    if (level <= DBM_LOG_WARNING) fail_msg("%s: %s", database, text);
}

static void open_with(int statement_cache, const char *url) {
    dbm_options options;
    dbm_config config;
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    memset(&heap, 0, sizeof heap);
    options.allocator.alloc = inner_alloc;
    options.allocator.resize = inner_resize;
    options.allocator.release = test_heap_release;
    options.allocator.ud = &heap;
    options.log = quiet;
    options.no_env = true;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    config.url = url;
    config.pool.size = 2;
    config.statement_cache = statement_cache;
    assert_int_equal(dbm_add_database(mgr, &config), DBM_OK);
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
    db = dbm_get(mgr, NULL);
    assert_int_equal(dbm_exec(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, size INTEGER, body TEXT, data BLOB, real REAL)"), DBM_OK);
    DBM_SESSION(mgr, NULL, s) {
        for (int i = 0; i < STATEMENTS; i++) {
            size_t size = (size_t)(i * LONGEST / (STATEMENTS - 1));
            dbm_exec(s, "INSERT INTO t VALUES (?, ?, ?, ?, ?)", i, (int64_t)size, dbm_textn(filler, size), dbm_blob(filler, size), i / 3.0);
        }
    }
    DBM_FAILED(e) fail_msg("%s", e->message);
    for (int i = 0; i < STATEMENTS; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "SELECT id, size, body, data, real, NULL, %d AS number FROM t WHERE id %s ?", i, i % 4 == 0 ? "<=" : "=");
    }
}
static void close_it(void) {
    assert_int_equal(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    assert_int_equal(test_heap_live(&heap), 0);
}

/* ---- one pass of each kind ------------------------------------------------------------------------------------------------------ */

static int64_t seen;

static void a_row(dbm_row *row, int number) {
    int64_t id, size;
    const char *body;
    dbm_bytes data;
    double real;
    dbm_optional_int none;
    int32_t which;
    if (dbm_scan(row, &id, &size, &body, &data, &real, &none, &which) != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    if (which != number || strlen(body) != (size_t)size || data.size != (size_t)size || none.has) fail_msg("row %d of statement %d is wrong", (int)id, number);
    seen += dbm_row_int(row, 0) + (dbm_row_is_null(row, 5) ? 1 : 0) + dbm_row_index(row, "number") + (int64_t)strlen(dbm_row_text(row, 1));
}

static void pass_rotation(void) { /* a session for each statement */
    for (int i = 0; i < STATEMENTS; i++) {
        DBM_SESSION_ON(db, s) {
            dbm_row *row;
            DBM_EACH(s, each, texts[i], i) a_row(each, i);
            if (dbm_query_one(s, &row, texts[i], i) == DBM_OK) a_row(row, i);
        }
    }
}
static void pass_one_session(void) { /* all statements in one session, by name */
    DBM_SESSION(mgr, "default", s) {
        for (int i = 0; i < STATEMENTS; i++) {
            dbm_rows *rows;
            dbm_row *row;
            if (dbm_query(s, &rows, texts[i], i) == DBM_OK) while (dbm_rows_next(rows, &row) == DBM_OK) a_row(row, i);
            dbm_rows_end(rows);
        }
    }
}
static void pass_prepared(void) { /* ended handles rest for a while before they are used again: several rounds */
    for (int i = 0; i < 6; i++) {
        DBM_SESSION_ON(db, s) {
            dbm_statement *st = NULL;
            dbm_row *row;
            dbm_prepare(s, texts[4], &st);
            DBM_STMT_EACH(st, each, 8) a_row(each, 4);
            if (dbm_stmt_query_one(st, &row, 9) == DBM_OK) a_row(row, 4);
        }
    }
}
static void pass_values(void) {
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 60000, .read_only = 1) {
        dbm_row *row;
        DBM_EACH(s, each, "SELECT ?, ?, ?, ?, ?, ?, ?", filler, dbm_timestamp(1234567890123456), 1.5, true, dbm_null(), dbm_decimal("1.10"), (uint64_t)7) {
            seen += (int64_t)strlen(dbm_row_text(each, 0)) + dbm_row_timestamp(each, 1);
        }
        if (dbm_query_one(s, &row, "SELECT body FROM t WHERE id = :id AND size >= :size", dbm_named("size", dbm_int(1)), dbm_named("id", dbm_int(5))) == DBM_OK) {
            seen += (int64_t)strlen(dbm_row_text(row, 0));
        }
        if (dbm_query_one(s, &row, "SELECT 1 FROM t WHERE id = ?", -1) != DBM_E_NOT_FOUND) fail_msg("a row was found");
    }
}
static void pass_blocks(void) {
    DBM_SESSION_ON(db, s) {
        dbm_exec(s, "UPDATE t SET real = ? WHERE id = ?", 0.25, 7);
        DBM_SESSION_ON(db, inner) {
            dbm_exec(inner, "UPDATE t SET real = ? WHERE id = ?", 0.5, 7);
            DBM_SAVEPOINT(inner) dbm_exec(inner, "UPDATE t SET size = size WHERE id = ?", 7);
        }
        DBM_SAVEPOINT(s) {
            dbm_exec(s, "UPDATE t SET body = ? WHERE id = ?", "", 0);
            DBM_SAVEPOINT(s) dbm_send(s, "DELETE FROM t WHERE id = ?", -1);
        }
        dbm_commit(s);
        dbm_exec(s, "UPDATE t SET real = ? WHERE id = ?", 0.75, 7);
        dbm_rollback(s);
    }
}
static void pass_calls(void) { /* on the database */
    dbm_row *row;
    for (int i = 0; i < 4; i++) {
        if (dbm_query_one(db, &row, texts[i], i) == DBM_OK) a_row(row, i);
        dbm_row_end(row);
        DBM_EACH(db, each, texts[i], i) a_row(each, i);
        if (dbm_exec(db, "UPDATE t SET size = size WHERE id = ?", i) != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    }
}
static void pass_two(void) { /* both connections are out */
    dbm_session a, b;
    dbm_row *row;
    if (dbm_session_begin(db, NULL, &a) != DBM_OK || dbm_session_begin(db, NULL, &b) != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    for (int i = 0; i < STATEMENTS; i++) {
        if (dbm_query_one(&a, &row, texts[i], i) == DBM_OK) a_row(row, i);
        if (dbm_query_one(&b, &row, texts[i], i) == DBM_OK) a_row(row, i);
    }
    (void)dbm_session_end(&b);
    (void)dbm_session_end(&a);
}
static void pass_hold(void) { /* the rest fits into the chunk that a connection keeps */
    DBM_SESSION_ON(db, s) {
        DBM_EACH(s, each, "SELECT id, body FROM t WHERE id BETWEEN ? AND ?", 1, 8) {
            seen += (int64_t)strlen(dbm_row_text(each, 1));
            dbm_exec(s, "UPDATE t SET real = ? WHERE id = ?", 0.5, dbm_row_int(each, 0));
        }
    }
}
static void pass_bulk(void) { /* handles take turns: several rounds */
    int64_t ids[40];
    double reals[40];
    const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(reals) };
    for (int i = 0; i < 40; i++) {
        ids[i] = 20000 + i;
        reals[i] = 0.5 * i;
    }
    for (int i = 0; i < 6; i++) {
        DBM_SESSION_ON(db, s) {
            dbm_bulk *b;
            if (dbm_bulk_begin(s, &b, "t", "id,body,real") != DBM_OK) break;
            for (int k = 0; k < 40; k++) dbm_bulk_row(b, 10000 + k, "a body", 0.5);
            dbm_bulk_end(b);
            if (dbm_bulk_begin(s, &b, "t", "id,real") != DBM_OK) break;
            dbm_bulk_columns(b, columns, 2, 40);
            dbm_bulk_abandon(b);
            dbm_exec(s, "DELETE FROM t WHERE id >= ?", 10000);
            seen += dbm_affected(s);
        }
    }
}
static void pass_failures(void) { /* statements that are known and fail */
    for (int i = 0; i < STATEMENTS; i++) {
        char sql[80];
        (void)snprintf(sql, sizeof sql, "INSERT INTO t(id, size) VALUES (?, %d)", i);
        DBM_SESSION_ON(db, s) {
            if (dbm_exec(s, sql, i) != DBM_E_CONSTRAINT) fail_msg("%s: %s", sql, dbm_last_error()->message);
        }
        if (!dbm_session_failed(NULL)) fail_msg("a failure was lost");
    }
}
static const struct { const char *name; void (*run)(void); } passes[] = {
    { "64 statements, a session each", pass_rotation }, { "64 statements in one session", pass_one_session }, { "prepared", pass_prepared },
    { "values of all types", pass_values }, { "nested blocks and savepoints", pass_blocks }, { "calls on the database", pass_calls },
    { "two sessions at once", pass_two }, { "writes inside of a loop", pass_hold },
    { "rows in bulk", pass_bulk }, { "statements that fail", pass_failures }
};
enum { KINDS_OF_PASSES = (int)(sizeof passes / sizeof passes[0]) };

static void pass(int kind) {
    seen = 0;
    passes[kind].run();
    DBM_FAILED(e) fail_msg("%s: %s", passes[kind].name, e->message);
}

static void nothing_once_warm_on(const char *url) {
    open_with(256, url);
    for (int kind = 0; kind < KINDS_OF_PASSES; kind++) {
        long calls, others, again = 0, again_behind = 0;
        int64_t first_seen;
        if (passes[kind].run == pass_two && strstr(url, ":memory:") != NULL) continue; /* one connection */
        calls = heap.calls;
        pass(kind);
        first_seen = seen;
        calls = heap.calls - calls;
        for (int i = 1; i < PASSES; i++) {
            long at = heap.calls;
            others = behind;
            pass(kind);
            if (seen != first_seen) fail_msg("%s: pass %d read other rows", passes[kind].name, i + 1);
            again += heap.calls - at;
            again_behind += behind - others;
        }
        printf("  %-32s %4ld in the first pass, %ld in the %d after it\n", passes[kind].name, calls, again, PASSES - 1);
        assert_int_equal(again, 0);
        assert_int_equal(again_behind, 0);
    }
    close_it();
}
static void nothing_once_warm(void **state) {
    (void)state;
    nothing_once_warm_on(test_dir_url(&dir, "warm.db"));
    nothing_once_warm_on("sqlite:///:memory:");
}

/* Nothing is allocated behind the allocator's back, from the first call to the last. */
static void nothing_behind(void **state) {
    long before = behind;
    (void)state;
    open_with(0, test_dir_url(&dir, "behind.db"));
    for (int kind = 0; kind < KINDS_OF_PASSES; kind++) pass(kind);
    close_it();
    assert_int_equal(behind - before, 0);
}

/* A cache that is smaller than the rotation works all the time, and does not grow. */
static void bounded(void **state) {
    static const int limits[] = { 1, 8, 63, -1 };
    char name[32];
    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        long live = 0, bytes = 0, per_pass = 0;
        dbm_stats_info stats;
        (void)snprintf(name, sizeof name, "bounded%d.db", (int)i);
        open_with(limits[i], test_dir_url(&dir, name));
        for (int p = 0; p < PASSES; p++) {
            long calls = heap.calls;
            for (int kind = 0; kind < KINDS_OF_PASSES; kind++) pass(kind);
            calls = heap.calls - calls;
            if (p == SETTLED) {
                live = test_heap_live(&heap);
                bytes = heap.live_bytes;
                per_pass = calls;
                heap.peak_bytes = bytes;
            } else if (p > SETTLED) {
                assert_int_equal(test_heap_live(&heap), live);
                assert_int_equal(heap.live_bytes, bytes);
                assert_int_equal(calls, per_pass);
            }
        }
        assert_int_equal(dbm_stats(db, &stats), DBM_OK);
        assert_true(stats.cache_evictions > 0 || limits[i] < 0);
        printf("  a cache of %2d: %ld allocations a pass, %ld bytes live, %ld at the most\n", limits[i], per_pass, bytes, heap.peak_bytes);
        close_it();
    }
}

/* Megabytes of rows put aside, and of values kept for a query, go when their loop ends. */
static void large_things_go(void **state) {
    static char large[1 << 20];
    long bytes = 0;
    (void)state;
    memset(large, 'x', sizeof large - 1);
    open_with(0, test_dir_url(&dir, "large.db"));
    for (int p = 0; p < PASSES; p++) {
        heap.peak_bytes = heap.live_bytes;
        DBM_SESSION_ON(db, s) {
            int rows = 0;
            DBM_EACH(s, row, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20) SELECT n, zeroblob(100000) FROM c") {
                dbm_exec(s, "UPDATE t SET real = ? WHERE id = ?", 0.5, dbm_row_int(row, 0));
                rows++;
            }
            if (rows != 20) fail_msg("%d rows", rows);
            DBM_EACH(s, row, "SELECT length(?)", dbm_text(large)) if (dbm_row_int(row, 0) != (int64_t)sizeof large - 1) fail_msg("the text is cut");
        }
        DBM_FAILED(e) fail_msg("%s", e->message);
        if (p == SETTLED) bytes = heap.live_bytes;
        if (p > SETTLED) assert_int_equal(heap.live_bytes, bytes);
    }
    printf("  after rows of 2 MB put aside and a value of 1 MB: %ld bytes live, %ld at the most\n", bytes, heap.peak_bytes);
    assert_true(bytes < 200000);
    close_it();
}

/* What fails before it is known leaves nothing behind, however often. */
static void failures_leave_nothing(void **state) {
    long live = 0, bytes = 0;
    (void)state;
    open_with(8, test_dir_url(&dir, "failures.db"));
    for (int i = 0; i < 600; i++) {
        dbm_status rc, st = DBM_OK;
        char sql[80];
        (void)snprintf(sql, sizeof sql, "%s %d", i % 3 == 0 ? "SELECT FROM" : i % 3 == 1 ? "SELECT * FROM nowhere WHERE ? =" : "COMMIT; SELECT", i);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_rows *rows;
            dbm_statement *prepared;
            if (i % 4 == 0) st = dbm_exec(s, sql);
            if (i % 4 == 1) st = dbm_query(s, &rows, sql, i);
            if (i % 4 == 2) st = dbm_prepare(s, sql, &prepared);
            if (i % 4 == 3) st = dbm_script(s, sql);
        }
        if (st == DBM_OK || rc != st || !dbm_session_failed(NULL)) fail_msg("%s: %s, and the session %s", sql, dbm_status_name(st), dbm_status_name(rc));
        if (i == 100) {
            live = test_heap_live(&heap);
            bytes = heap.live_bytes;
        }
    }
    assert_int_equal(test_heap_live(&heap), live);
    assert_int_equal(heap.live_bytes, bytes);
    close_it();
}

static int make(void **state) {
    (void)state;
    test_dir_make(&dir);
    memset(filler, 'f', sizeof filler - 1);
    return 0;
}
static int drop(void **state) {
    (void)state;
    test_dir_remove(&dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_once_warm), cmocka_unit_test(nothing_behind), cmocka_unit_test(bounded), cmocka_unit_test(large_things_go),
        cmocka_unit_test(failures_leave_nothing)
    };
    return cmocka_run_group_tests(tests, make, drop);
}
