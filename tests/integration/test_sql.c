/* SQL on SQLite through the public calls: values there and back, placeholders, rows, the statement cache, constraints, statements inside of
 * loops, logs. What is in the file is looked at through a connection of the test's own. */
#include "scripted.h" /* and dbm_test.h, first */
#include <float.h>
#include <math.h>
#include <sqlite3.h>

static test_dir dir;
static test_log logged;
static test_heap heap;
static dbm_manager *mgr;
static dbm_database *db;
static sqlite3 *raw;

/* ---- the fixture ----------------------------------------------------------------------------------------------------------- */

static void raw_run(const char *sql) {
    char *said = NULL;
    if (sqlite3_exec(raw, sql, NULL, NULL, &said) != SQLITE_OK) fail_msg("%s: %s", sql, said);
}
static int64_t raw_number(const char *sql) {
    sqlite3_stmt *stmt = NULL;
    int64_t n;
    assert_int_equal(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

static dbm_database *add(const char *name, const dbm_config *given) {
    static const dbm_option fast[] = { { "synchronous", "off" } };
    dbm_config c;
    memset(&c, 0, sizeof c);
    if (given != NULL) c = *given;
    c.name = name;
    if (c.url == NULL) c.url = test_dir_url(&dir, "app.db");
    if (c.pool.size == 0) c.pool.size = 2;
    c.pool.max_overflow = -1;
    c.pool.timeout_ms = 3000;
    if (c.options == NULL) {
        c.options = fast;
        c.option_count = 1;
    }
    assert_int_equal(dbm_add_database(mgr, &c), DBM_OK);
    return dbm_get(mgr, name);
}

static int open_all(void **state) {
    dbm_options options;
    (void)state;
    test_dir_make(&dir);
    test_log_clear(&logged);
    memset(&heap, 0, sizeof heap);
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    options.log = test_log_hook;
    options.log_ud = &logged;
    options.no_env = true;
    options.grace_ms = -1;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    db = add("default", NULL);
    assert_non_null(db);
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
    assert_int_equal(sqlite3_open(test_dir_file(&dir, "app.db"), &raw), SQLITE_OK);
    sqlite3_busy_timeout(raw, 5000);
    raw_run("PRAGMA synchronous = off; CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT); CREATE TABLE v (x)");
    return 0;
}

static int close_all(void **state) {
    (void)state;
    assert_int_equal(stats_of(db).out, 0);
    assert_int_equal(stats_of(db).idle, stats_of(db).open);
    assert_int_equal(raw_number("PRAGMA wal_checkpoint(TRUNCATE)"), 0); /* 1: a reader was in the way */
    sqlite3_close(raw);
    raw = NULL;
    assert_int_equal(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    assert_int_equal(test_heap_live(&heap), 0);
    return 0;
}

static void assert_says(const char *text, const char *part) {
    if (strstr(text, part) == NULL) fail_msg("'%s' is without '%s'", text, part);
}
static void assert_last(dbm_status status, const char *part) {
    assert_int_equal(dbm_last_error()->status, status);
    assert_says(dbm_last_error()->message, part);
}
#define GOOD(...) \
    do { \
        dbm_status good_ = (__VA_ARGS__); \
        if (good_ != DBM_OK) fail_msg("%s: %s", #__VA_ARGS__, dbm_last_error()->message); \
    } while (0)

/* ---- values there and back ----------------------------------------------------------------------------------------------------- */

static void integers(void **state) {
    static const int64_t values[] = { 0, 1, -1, 127, 128, -129, 32767, 65536, INT32_MAX, INT32_MIN, (int64_t)INT32_MAX + 1, INT64_C(0x1000000000000), INT64_MAX, INT64_MIN, INT64_MIN + 1 };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        DBM_SESSION(mgr, NULL, s) {
            dbm_row *row;
            int64_t n = 5;
            GOOD(dbm_exec(s, "INSERT INTO v VALUES (?)", values[i]));
            GOOD(dbm_query_one(s, &row, "SELECT x, typeof(x), CAST(x AS TEXT) FROM v"));
            assert_true(dbm_row_int(row, 0) == values[i]);
            assert_string_equal(dbm_row_text(row, 1), "integer");
            assert_string_equal(dbm_row_text(row, 0), dbm_row_text(row, 2));
            assert_true(dbm_row_value(row, 0).type == DBM_TYPE_INT && dbm_row_value(row, 0).as.integer == values[i]);
            GOOD(dbm_query_one(s, &row, "SELECT x FROM v WHERE x = ?", dbm_int(values[i])));
            GOOD(dbm_scan(row, &n));
            assert_true(n == values[i]);
            if (values[i] >= 0) assert_true(dbm_row_uint(row, 0) == (uint64_t)values[i]);
            dbm_rollback(s);
        }
        assert_false(dbm_session_failed(NULL));
    }
    DBM_SESSION(mgr, NULL, s) { /* every width */
        dbm_row *row;
        signed char a = -128; unsigned char b = 255; short c = -32768; unsigned short d = 65535; int e = INT32_MIN; unsigned f = UINT32_MAX;
        long g = INT32_MIN; unsigned long h = UINT32_MAX; long long i = INT64_MIN; unsigned long long j = INT64_MAX; char k = 'k';
        signed char a2; unsigned char b2; short c2; unsigned short d2; int e2; unsigned f2; long g2; unsigned long h2; long long i2; unsigned long long j2; signed char k2;
        GOOD(dbm_query_one(s, &row, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?", a, b, c, d, e, f, g, h, i, j, k));
        GOOD(dbm_scan(row, &a2, &b2, &c2, &d2, &e2, &f2, &g2, &h2, &i2, &j2, &k2));
        assert_true(a == a2 && b == b2 && c == c2 && d == d2 && e == e2 && f == f2 && g == g2 && h == h2 && i == i2 && j == j2 && k2 == 'k');
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(dbm_exec(db, "INSERT INTO v VALUES (?)", (uint64_t)INT64_MAX + 1), DBM_E_RANGE); /* never a wrong number */
    assert_last(DBM_E_RANGE, "9223372036854775808");
    assert_int_equal(dbm_exec(db, "INSERT INTO v VALUES (?)", UINT64_MAX), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "INSERT INTO v VALUES (?)", dbm_uint(UINT64_MAX)), DBM_E_RANGE);
    assert_int_equal(raw_number("SELECT count(*) FROM v"), 0);
    GOOD(dbm_exec(db, "INSERT INTO v VALUES (?)", (uint64_t)INT64_MAX));
    assert_true(raw_number("SELECT x FROM v") == INT64_MAX);
}

static void booleans_and_null(void **state) {
    (void)state;
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        bool yes = false, no = true;
        const char *none = NULL, *t = "x";
        dbm_optional_int oi = { true, 5 };
        dbm_optional_double od = { true, 5 };
        dbm_optional_bool ob = { true, true };
        dbm_bytes bytes = { (const unsigned char *)"x", 1 };
        dbm_value v = dbm_int(5);
        char buf[4] = "abc";
        GOOD(dbm_query_one(s, &row, "SELECT ?, ?, ?, ?", true, false, dbm_bool(true), (bool)2));
        assert_true(dbm_row_bool(row, 0) && !dbm_row_bool(row, 1) && dbm_row_bool(row, 2));
        assert_int_equal(dbm_row_int(row, 0), 1);
        assert_int_equal(dbm_row_int(row, 3), 1);
        GOOD(dbm_query_one(s, &row, "SELECT ?, ?", true, false));
        GOOD(dbm_scan(row, &yes, &no));
        assert_true(yes && !no);
        GOOD(dbm_query_one(s, &row, "SELECT ? IS NULL, ? IS NULL, ? IS NULL, ? IS NULL, ? IS NULL", none, NULL, (void *)NULL, dbm_null(), dbm_text(NULL)));
        for (int i = 0; i < 5; i++) assert_int_equal(dbm_row_int(row, i), 1);
        GOOD(dbm_query_one(s, &row, "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL"));
        assert_true(dbm_row_is_null(row, 0));
        assert_string_equal(dbm_row_text(row, 0), "");
        assert_null(dbm_row_blob(row, 0, NULL));
        GOOD(dbm_scan(row, &t, &oi, &od, &ob, &bytes, &v, &buf)); /* these take NULL */
        assert_true(t == NULL && !oi.has && !od.has && !ob.has && bytes.data == NULL && bytes.size == 0 && v.type == DBM_TYPE_NULL && buf[0] == 0);
    }
    assert_false(dbm_session_failed(NULL));
}

static void doubles(void **state) {
    static const double values[] = {
        0.0, 0.1, 1.0 / 3.0, 2.0 / 3.0, 1e15, 1e16 + 2, 123456789.12345679, 0.30000000000000004, 1.7976931348623157e308, -1.7976931348623157e308, DBL_MIN, 4.9406564584124654e-324,
        1e-7, 5e-324, 3.141592653589793, 2.718281828459045, 9007199254740993.0, 1e100, -0.0
    };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        DBM_SESSION(mgr, NULL, s) {
            dbm_row *row;
            double d = 7;
            GOOD(dbm_exec(s, "INSERT INTO v VALUES (?)", values[i]));
            GOOD(dbm_query_one(s, &row, "SELECT x, typeof(x) FROM v"));
            d = dbm_row_double(row, 0);
            assert_memory_equal(&d, &values[i], sizeof d);
            assert_string_equal(dbm_row_text(row, 1), "real");
            d = strtod(dbm_row_text(row, 0), NULL); /* its text is exact too */
            assert_memory_equal(&d, &values[i], sizeof d);
            dbm_rollback(s);
        }
        assert_false(dbm_session_failed(NULL));
    }
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        double d = 0;
        float f = 0;
        GOOD(dbm_query_one(s, &row, "SELECT ?, ?, ?", (double)INFINITY, -(double)INFINITY, 1.5f));
        assert_true(dbm_row_double(row, 0) > DBL_MAX && dbm_row_double(row, 1) < -DBL_MAX);
        assert_string_equal(dbm_row_text(row, 0), "inf");
        assert_string_equal(dbm_row_text(row, 1), "-inf");
        GOOD(dbm_query_one(s, &row, "SELECT ?, 1.5", 7));
        GOOD(dbm_scan(row, &d, &f)); /* an integer is a double too */
        assert_true(d == 7.0 && f == 1.5f);
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(dbm_exec(db, "INSERT INTO v VALUES (?)", (double)NAN), DBM_E_RANGE); /* SQLite would make NULL of it */
    assert_last(DBM_E_RANGE, "NaN");
    assert_int_equal(raw_number("SELECT count(*) FROM v"), 0);
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        float f = 3;
        GOOD(dbm_query_one(s, &row, "SELECT 1e300"));
        assert_int_equal(dbm_scan(row, &f), DBM_E_RANGE);
        assert_true(f == 0.0f);
    }
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        GOOD(dbm_query_one(s, &row, "SELECT 9007199254740993")); /* not a double */
        assert_true(dbm_row_double(row, 0) == 0.0);
        assert_int_equal(dbm_status_of(s), DBM_E_RANGE);
    }
}

static void texts_and_blobs(void **state) {
    static const char tricky[] = "it's \"quoted\" ? :name ?? -- /* % \\ \r\n\t";
    static const char utf8[] = "\xF0\x9F\x92\xBE\xF0\x9D\x84\x9E \xC3\xA9 \xE2\x82\xAC"; /* of 4, 2 and 3 bytes */
    static const unsigned char zeros[] = { 0, 1, 0, 255, 0 };
    const size_t large = 1048576;
    char *big = (char *)malloc(large + 1);
    (void)state;
    assert_non_null(big);
    for (size_t i = 0; i < large; i++) big[i] = (char)('a' + i % 26);
    big[large] = 0;
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        size_t n = 7;
        const char *t = NULL;
        dbm_bytes bytes;
        dbm_value v;
        GOOD(dbm_query_one(s, &row, "SELECT ?, ?, ?, ?, length(?), typeof(?)", tricky, utf8, "", big, utf8, ""));
        assert_string_equal(dbm_row_text(row, 0), tricky);
        assert_string_equal(dbm_row_text(row, 1), utf8);
        assert_string_equal(dbm_row_text(row, 2), "");
        assert_false(dbm_row_is_null(row, 2)); /* "" is not NULL */
        assert_string_equal(dbm_row_text(row, 3), big);
        assert_int_equal(dbm_row_int(row, 4), 6);
        assert_string_equal(dbm_row_text(row, 5), "text");
        GOOD(dbm_query_one(s, &row, "SELECT ?, ?, ?, ?", dbm_blob(zeros, sizeof zeros), dbm_blob(zeros, 0), dbm_textn("a\0b", 3), dbm_textn("abc", 0)));
        assert_memory_equal(dbm_row_blob(row, 0, &n), zeros, sizeof zeros);
        assert_int_equal(n, sizeof zeros);
        assert_int_equal(dbm_row_value(row, 0).type, DBM_TYPE_BLOB);
        assert_non_null(dbm_row_blob(row, 1, &n)); /* an empty blob is not NULL */
        assert_int_equal(n, 0);
        assert_false(dbm_row_is_null(row, 1));
        assert_memory_equal(dbm_row_blob(row, 2, &n), "a\0b", 4); /* and its own NUL behind */
        assert_int_equal(n, 3);
        assert_string_equal(dbm_row_text(row, 3), "");
        assert_false(dbm_row_is_null(row, 3));
        GOOD(dbm_exec(s, "INSERT INTO v VALUES (?), (?), (?), (?)", dbm_blob(zeros, sizeof zeros), big, dbm_blob(big, large), dbm_textn("x\0y", 3)));
        n = 0;
        DBM_EACH(s, r, "SELECT x, length(x), typeof(x), hex(substr(x, 1, 3)) FROM v ORDER BY rowid") {
            GOOD(dbm_scan(r, &bytes, &v, &t, &t));
            if (n == 0) assert_true(bytes.size == sizeof zeros && memcmp(bytes.data, zeros, sizeof zeros) == 0);
            if (n == 1 || n == 2) assert_true(bytes.size == large && memcmp(bytes.data, big, large) == 0);
            if (n == 3) assert_true(bytes.size == 3 && memcmp(bytes.data, "x\0y", 3) == 0);
            n++;
        }
        assert_int_equal(n, 4);
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(raw_number("SELECT sum(length(CAST(x AS BLOB))) FROM v"), 5 + 2 * 1048576 + 3);
    assert_int_equal(raw_number("SELECT count(*) FROM v WHERE typeof(x) = 'blob'"), 2);
    free(big);
}

static void decimals_timestamps_and_the_rest(void **state) {
    static const struct { int64_t us; const char *text; } moments[] = {
        { 0, "1970-01-01 00:00:00" }, { 1709210096789012, "2024-02-29 12:34:56.789012" }, { -1, "1969-12-31 23:59:59.999999" }, { 253402300799999999, "9999-12-31 23:59:59.999999" },
        { -62135596800000000, "0001-01-01 00:00:00" }, { 1000000, "1970-01-01 00:00:01" }, { 1, "1970-01-01 00:00:00.000001" }
    };
    static const char decimal[] = "12345678901234567890123456789012345678", fraction[] = "-0.1234567890123456789012345678901234567", uuid[] = "123e4567-e89b-12d3-a456-426614174000";
    (void)state;
    static const int64_t beyond[] = { 253402300800000000, -62135596800000001, INT64_MAX, INT64_MIN }; /* a text that nobody reads back, nor compares */
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        assert_int_equal(dbm_exec(db, "INSERT INTO v VALUES (?)", dbm_timestamp(beyond[i])), DBM_E_RANGE);
        assert_non_null(strstr(dbm_last_error()->message, "parameter 1 is a timestamp outside of the years 0001 to 9999"));
    }
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        DBM_SESSION(mgr, NULL, s) {
            dbm_row *row;
            GOOD(dbm_exec(s, "INSERT INTO v VALUES (?)", dbm_timestamp(moments[i].us)));
            GOOD(dbm_query_one(s, &row, "SELECT x, strftime('%s', x) FROM v WHERE x = ?", dbm_timestamp(moments[i].us)));
            assert_true(dbm_row_timestamp(row, 0) == moments[i].us);
            assert_string_equal(dbm_row_text(row, 0), moments[i].text);
            if (moments[i].us % 1000000 == 0) assert_true(dbm_row_int(row, 1) == moments[i].us / 1000000); /* SQLite reads it too */
            dbm_rollback(s);
        }
        assert_false(dbm_session_failed(NULL));
    }
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        GOOD(dbm_query_one(s, &row, "SELECT '2024-02-29T12:34:56Z', '2024-02-29 12:34:56+02:00', '2024-02-29', 1709210096000000"));
        assert_true(dbm_row_timestamp(row, 0) == INT64_C(1709210096000000));
        assert_true(dbm_row_timestamp(row, 1) == INT64_C(1709202896000000));
        assert_true(dbm_row_timestamp(row, 2) == INT64_C(1709164800000000));
        GOOD(dbm_exec(s, "CREATE TABLE d (n TEXT, u TEXT, j TEXT)"));
        GOOD(dbm_exec(s, "INSERT INTO d VALUES (?, ?, ?), (?, NULL, NULL), (?, NULL, NULL)", dbm_decimal(decimal), dbm_uuid(uuid), dbm_json("{\"a\": [1, 2, {\"b\": null}]}"),
                      dbm_decimal(fraction), dbm_decimal("1.10")));
        GOOD(dbm_query_one(s, &row, "SELECT n, u, j, json_extract(j, '$.a[1]') FROM d"));
        assert_string_equal(dbm_row_text(row, 0), decimal);
        assert_string_equal(dbm_row_text(row, 1), uuid);
        assert_string_equal(dbm_row_text(row, 2), "{\"a\": [1, 2, {\"b\": null}]}");
        assert_int_equal(dbm_row_int(row, 3), 2);
        GOOD(dbm_query_one(s, &row, "SELECT n FROM d LIMIT 1 OFFSET 1"));
        assert_string_equal(dbm_row_text(row, 0), fraction);
        GOOD(dbm_query_one(s, &row, "SELECT n FROM d LIMIT 1 OFFSET 2"));
        assert_string_equal(dbm_row_text(row, 0), "1.10"); /* not 1.1 */
        GOOD(dbm_query_one(s, &row, "SELECT ?", dbm_decimal(decimal)));
        assert_string_equal(dbm_row_text(row, 0), decimal); /* nor a double on its way */
        GOOD(dbm_query_one(s, &row, "SELECT ?, ?, ?", dbm_decimal(NULL), dbm_uuid(NULL), dbm_json(NULL)));
        assert_true(dbm_row_is_null(row, 0) && dbm_row_is_null(row, 1) && dbm_row_is_null(row, 2));
        GOOD(dbm_query_one(s, &row, "SELECT '42', ' 42', '4x', '1e3', 3.0"));
        assert_int_equal(dbm_row_int(row, 0), 42); /* a text that is a number, exactly */
        assert_int_equal(dbm_row_int(row, 4), 3);
    }
    assert_false(dbm_session_failed(NULL));
}

/* ---- placeholders --------------------------------------------------------------------------------------------------------------- */

static void placeholders(void **state) {
    dbm_row *row;
    dbm_value list[70];
    (void)state;
    DBM_SESSION(mgr, NULL, s) {
        GOOD(dbm_query_one(s, &row, "SELECT '?', \"?\", [?], `?`, ? /* ? */ -- ?\n, ':x', '?\?' FROM (SELECT 1 AS \"?\")", 5));
        assert_string_equal(dbm_row_text(row, 0), "?");
        assert_int_equal(dbm_row_int(row, 1), 1);
        assert_int_equal(dbm_row_int(row, 4), 5);
        assert_string_equal(dbm_row_text(row, 5), ":x");
        assert_string_equal(dbm_row_text(row, 6), "?\?");
        GOOD(dbm_query_one(s, &row, "SELECT 'it''s ?', ?", 6));
        assert_int_equal(dbm_row_int(row, 1), 6);
        GOOD(dbm_query_one(s, &row, "SELECT :a, :b, :a, ':a', /* :c */ :long_name_2", dbm_named("b", dbm_text("two")), dbm_named("long_name_2", dbm_null()), dbm_named("a", dbm_int(1))));
        assert_int_equal(dbm_row_int(row, 0), 1);
        assert_string_equal(dbm_row_text(row, 1), "two");
        assert_int_equal(dbm_row_int(row, 2), 1);
        assert_string_equal(dbm_row_text(row, 3), ":a");
        assert_true(dbm_row_is_null(row, 4));
        list[0] = dbm_named("x", dbm_int(8));
        GOOD(dbm_query_onev(s, &row, "SELECT :x + :x", list, 1));
        assert_int_equal(dbm_row_int(row, 0), 16);
    }
    assert_false(dbm_session_failed(NULL));
#define REFUSED(status_, said, ...) \
    do { \
        uint64_t sent_ = stats_of(db).statements; \
        assert_int_equal(dbm_exec(db, __VA_ARGS__), status_); \
        assert_says(dbm_last_error()->message, said); \
        assert_says(dbm_last_error()->site, "test_sql.c:"); \
        assert_int_equal(stats_of(db).statements, sent_); \
    } while (0)
    REFUSED(DBM_E_MISUSE, "2 placeholders", "INSERT INTO v VALUES (? + ?)", 1);
    REFUSED(DBM_E_MISUSE, "passes 1 value ", "INSERT INTO v VALUES (? + ?)", 1);
    REFUSED(DBM_E_MISUSE, "3 values", "INSERT INTO v VALUES (?)", 1, 2, 3);
    REFUSED(DBM_E_MISUSE, "0 placeholders", "INSERT INTO v VALUES (1)", 1);
    REFUSED(DBM_E_MISUSE, "0 values", "INSERT INTO v VALUES (?)");
    REFUSED(DBM_E_MISUSE, ":b", "INSERT INTO v VALUES (:a + :b)", dbm_named("a", dbm_int(1)));
    REFUSED(DBM_E_MISUSE, "c", "INSERT INTO v VALUES (:a)", dbm_named("a", dbm_int(1)), dbm_named("c", dbm_int(1)));
    REFUSED(DBM_E_MISUSE, "names", "INSERT INTO v VALUES (:a + ?)", dbm_named("a", dbm_int(1)), 2);
    REFUSED(DBM_E_MISUSE, "dbm_named", "INSERT INTO v VALUES (:a)", 1);
    REFUSED(DBM_E_MISUSE, "dbm_named", "INSERT INTO v VALUES (@a)");
    REFUSED(DBM_E_MISUSE, "?1", "INSERT INTO v VALUES (?1)", 1);
    REFUSED(DBM_E_MISUSE, "empty", "");
    REFUSED(DBM_E_MISUSE, "empty", " -- only a comment");
    REFUSED(DBM_E_MISUSE, "dbm_script", "INSERT INTO v VALUES (1); INSERT INTO v VALUES (2)");
    REFUSED(DBM_E_SQL, "syntax error", "INSERT INTTO v VALUES (1)");
    assert_string_equal(dbm_last_error()->sqlstate, "42601");
    REFUSED(DBM_E_SQL, "no such column", "INSERT INTO v SELECT z FROM v");
    REFUSED(DBM_E_SQL, "INSERT INTO nowhere", "INSERT INTO nowhere VALUES (1)"); /* the statement is shown */
    assert_int_not_equal(dbm_exec(db, "SELECT ??"), DBM_OK); /* a literal ?, of which SQLite makes a parameter */
#undef REFUSED
    GOOD(dbm_exec(db, "INSERT INTO v VALUES (1); -- a comment and a semicolon are no second statement\n ;"));
    assert_int_equal(raw_number("SELECT count(*) FROM v"), 1);
    for (int i = 0; i < 70; i++) list[i] = dbm_int(i);
    assert_int_equal(dbm_execv(db, "SELECT 1", list, 65), DBM_E_LIMIT);
    assert_int_equal(dbm_execv(db, "SELECT 1", list, -1), DBM_E_LIMIT);
    assert_int_equal(dbm_execv(db, "SELECT 1", NULL, 1), DBM_E_LIMIT);
    {
        char sql[400] = "SELECT 0";
        for (int i = 0; i < 64; i++) strcat(sql, " + ?");
        DBM_SESSION(mgr, NULL, s) {
            GOOD(dbm_query_onev(s, &row, sql, list, 64));
            assert_int_equal(dbm_row_int(row, 0), 63 * 64 / 2);
        }
    }
}

static int counted;
static int next_one(void) { return ++counted; }
#define EIGHT next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one()
#define SUM_8 "? + ? + ? + ? + ? + ? + ? + ?"
#define SUM_32 "SELECT " SUM_8 " + " SUM_8 " + " SUM_8 " + " SUM_8

static void each_value_is_evaluated_once(void **state) {
    (void)state;
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        dbm_rows *rows;
        dbm_statement *st;
        int64_t loops = 0;
        counted = 0;
        GOOD(dbm_query_one(s, &row, SUM_32, EIGHT, EIGHT, EIGHT, EIGHT));
        assert_int_equal(dbm_row_int(row, 0), 528);
        assert_int_equal(counted, 32);
        counted = 0;
        GOOD(dbm_query(s, &rows, SUM_32, EIGHT, EIGHT, EIGHT, EIGHT));
        GOOD(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_int(row, 0), 528);
        dbm_rows_end(rows);
        counted = 0;
        DBM_EACH(s, r, SUM_32 " UNION ALL SELECT 1", EIGHT, EIGHT, EIGHT, EIGHT) loops += dbm_row_int(r, 0);
        assert_int_equal(loops, 529);
        assert_int_equal(counted, 32);
        counted = 0;
        GOOD(dbm_exec(s, "INSERT INTO v " SUM_32, EIGHT, EIGHT, EIGHT, EIGHT));
        assert_int_equal(counted, 32);
        counted = 0;
        GOOD(dbm_send(s, "INSERT INTO v " SUM_32, EIGHT, EIGHT, EIGHT, EIGHT));
        assert_int_equal(counted, 32);
        GOOD(dbm_prepare(s, "INSERT INTO v " SUM_32, &st));
        counted = 0;
        GOOD(dbm_stmt_exec(st, EIGHT, EIGHT, EIGHT, EIGHT));
        assert_int_equal(counted, 32);
        counted = 0;
        {
            const dbm_value list[] = { dbm_int(next_one()), dbm_int(next_one()) };
            GOOD(dbm_execv(s, "INSERT INTO v VALUES (? * ?)", list, 2));
            GOOD(dbm_queryv(s, &rows, "SELECT ? * 10 + ?", list, 2));
            GOOD(dbm_rows_next(rows, &row));
            assert_int_equal(dbm_row_int(row, 0), 12);
            dbm_rows_end(rows);
        }
        counted = 0;
        GOOD(dbm_query_one(dbm_session_database(s), &row, "SELECT ?", next_one()));
        assert_int_equal(counted, 1);
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(raw_number("SELECT sum(x) FROM v"), 3 * 528 + 2);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------------------- */

static void rows_and_columns(void **state) {
    (void)state;
    raw_run("INSERT INTO t (id, a, b) VALUES (1, 10, 'x'), (2, 20, 'y'), (3, NULL, NULL)");
    DBM_SESSION(mgr, NULL, s) {
        dbm_rows *rows, *empty;
        dbm_row *row, *second;
        int64_t sum = 0;
        GOOD(dbm_query(s, &rows, "SELECT id, a AS Amount, b FROM t ORDER BY id"));
        assert_int_equal(dbm_rows_columns(rows), 3);
        assert_string_equal(dbm_rows_name(rows, 1), "Amount");
        assert_string_equal(dbm_rows_name(rows, 3), "");
        assert_string_equal(dbm_rows_name(rows, -1), "");
        GOOD(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_columns(row), 3);
        assert_string_equal(dbm_row_name(row, 2), "b");
        assert_int_equal(dbm_row_index(row, "AMOUNT"), 1);
        assert_int_equal(dbm_row_int(row, dbm_row_index(row, "amount")), 10);
        GOOD(dbm_rows_next(rows, &row));
        GOOD(dbm_rows_next(rows, &row));
        assert_true(dbm_row_is_null(row, 1) && dbm_row_is_null(row, 2) && !dbm_row_is_null(row, 0));
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        dbm_rows_end(rows);
        GOOD(dbm_query_one(s, &row, "SELECT 1 AS \"ID\", 2 AS id, 3 AS \"Id\", 4 AS id"));
        assert_int_equal(dbm_row_index(row, "ID"), 0);
        assert_int_equal(dbm_row_index(row, "id"), 1); /* the first one that is spelt so, */
        assert_int_equal(dbm_row_index(row, "iD"), 0); /* else the first one that is like it */
        GOOD(dbm_query(s, &empty, "SELECT id, b FROM t WHERE id > 99"));
        assert_int_equal(dbm_rows_columns(empty), 2); /* also without rows */
        assert_string_equal(dbm_rows_name(empty, 1), "b");
        assert_int_equal(dbm_rows_next(empty, &row), DBM_DONE);
        dbm_rows_end(empty);
        DBM_EACH(s, r, "SELECT id FROM t WHERE id > ? ORDER BY id", 1) sum += dbm_row_int(r, 0);
        assert_int_equal(sum, 5);
        GOOD(dbm_query_one(s, &row, "SELECT b FROM t ORDER BY id")); /* of several, the first */
        assert_string_equal(dbm_row_text(row, 0), "x");
        GOOD(dbm_query_one(s, &second, "SELECT b FROM t WHERE id = 2"));
        assert_string_equal(dbm_row_text(second, 0), "y");
        GOOD(dbm_exec(s, "SELECT * FROM t")); /* its rows are dropped */
        assert_int_equal(dbm_affected(s), -1);
        GOOD(dbm_query(s, &rows, "UPDATE t SET a = 0 WHERE id = 3")); /* a query without rows */
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        dbm_rows_end(rows);
        assert_int_equal(dbm_affected(s), 1);
    }
    assert_false(dbm_session_failed(NULL));
    DBM_SESSION(mgr, NULL, s) { /* the row of dbm_query_one lives until the session's next statement */
        dbm_row *row;
        GOOD(dbm_query_one(s, &row, "SELECT b FROM t"));
        GOOD(dbm_exec(s, "SELECT 1"));
        assert_int_equal(dbm_row_int(row, 0), 0);
        assert_int_equal(dbm_last_error()->status, DBM_E_MISUSE);
        dbm_rollback(s);
    }
    DBM_SESSION(mgr, NULL, s) { /* and no row is in hand before the first, or after the last */
        dbm_rows *rows;
        dbm_row *row;
        GOOD(dbm_query(s, &rows, "SELECT 1"));
        GOOD(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_rows_next(rows, NULL), DBM_DONE);
        assert_int_equal(dbm_row_int(row, 0), 0);
        assert_int_equal(dbm_last_error()->status, DBM_E_MISUSE);
        dbm_rows_end(rows);
    }
}

static void affected_and_last_id(void **state) {
    (void)state;
    raw_run("CREATE TABLE u (k TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID");
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        assert_int_equal(dbm_affected(s), -1);
        assert_int_equal(dbm_last_id(s), 0);
        GOOD(dbm_exec(s, "INSERT INTO t (id, a) VALUES (41, 1)"));
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_last_id(s), 41);
        GOOD(dbm_exec(s, "INSERT INTO t (a) VALUES (1), (2), (3)"));
        assert_int_equal(dbm_affected(s), 3);
        assert_int_equal(dbm_last_id(s), 44);
        GOOD(dbm_exec(s, "UPDATE t SET a = a WHERE a = 1")); /* matched counts, changed or not */
        assert_int_equal(dbm_affected(s), 2);
        GOOD(dbm_query_one(s, &row, "SELECT count(*) FROM t")); /* reads leave both alone */
        assert_int_equal(dbm_affected(s), 2);
        assert_int_equal(dbm_last_id(s), 44);
        GOOD(dbm_exec(s, "UPDATE t SET a = 0 WHERE id = 999"));
        assert_int_equal(dbm_affected(s), 0);
        GOOD(dbm_exec(s, "INSERT OR IGNORE INTO t (id) VALUES (41)"));
        assert_int_equal(dbm_affected(s), 0);
        GOOD(dbm_exec(s, "INSERT INTO t (id, a) VALUES (41, 7) ON CONFLICT (id) DO UPDATE SET a = excluded.a"));
        assert_int_equal(dbm_affected(s), 1);
        GOOD(dbm_exec(s, "REPLACE INTO t (id, a) VALUES (50, 7)"));
        assert_int_equal(dbm_last_id(s), 50);
        GOOD(dbm_exec(s, "INSERT INTO u VALUES ('k', 1)"));
        assert_int_equal(dbm_affected(s), 1);
        GOOD(dbm_query_one(s, &row, "INSERT INTO t (a) VALUES (?) RETURNING id, a * 2", 21));
        assert_int_equal(dbm_row_int(row, 0), 51);
        assert_int_equal(dbm_row_int(row, 1), 42);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_last_id(s), 51);
        {
            int64_t sum = 0;
            DBM_EACH(s, r, "UPDATE t SET a = id WHERE id IN (41, 50, 51) RETURNING a") sum += dbm_row_int(r, 0);
            assert_int_equal(sum, 142);
        }
        assert_int_equal(dbm_affected(s), 3);
        GOOD(dbm_exec(s, "DELETE FROM t"));
        assert_int_equal(dbm_affected(s), 6);
    }
    assert_false(dbm_session_failed(NULL));
}

/* ---- constraints ------------------------------------------------------------------------------------------------------------------- */

static void constraints_say_which(void **state) {
    static const struct { const char *sql; dbm_constraint kind; const char *name, *sqlstate; } cases[] = {
        { "INSERT INTO c (id, u, n) VALUES (2, 'a', 1)", DBM_CONSTRAINT_UNIQUE, "c.u", "23505" },
        { "INSERT INTO c (id, n) VALUES (1, 1)", DBM_CONSTRAINT_PRIMARY_KEY, "c.id", "23505" },
        { "INSERT INTO c (id, u) VALUES (2, 'b')", DBM_CONSTRAINT_NOT_NULL, "c.n", "23502" },
        { "UPDATE c SET n = NULL", DBM_CONSTRAINT_NOT_NULL, "c.n", "23502" },
        { "INSERT INTO c (id, n, p) VALUES (2, 1, 99)", DBM_CONSTRAINT_FOREIGN_KEY, "", "23503" },
        { "DELETE FROM p WHERE id = 1", DBM_CONSTRAINT_FOREIGN_KEY, "", "23503" },
        { "INSERT INTO c (id, n, k) VALUES (2, 1, -5)", DBM_CONSTRAINT_CHECK, "k_is_positive", "23514" },
        { "INSERT INTO c (id, n, l) VALUES (2, 1, -5)", DBM_CONSTRAINT_CHECK, "l > 0", "23514" },
        { "INSERT INTO w VALUES ('x', 'y')", DBM_CONSTRAINT_PRIMARY_KEY, "w.a, w.b", "23505" },
        { "INSERT INTO i VALUES ('X')", DBM_CONSTRAINT_UNIQUE, "index 'i_lower'", "23505" },
        { "INSERT INTO g VALUES (13)", DBM_CONSTRAINT_OTHER, "", "23000" },
    };
    dbm_status rc;
    (void)state;
    raw_run("CREATE TABLE p (id INTEGER PRIMARY KEY); INSERT INTO p VALUES (1);"
            "CREATE TABLE c (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n INTEGER NOT NULL, p INTEGER REFERENCES p (id), k INTEGER CONSTRAINT k_is_positive CHECK (k > 0), l INTEGER CHECK (l > 0));"
            "INSERT INTO c VALUES (1, 'a', 1, 1, 1, 1);"
            "CREATE TABLE w (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID; INSERT INTO w VALUES ('x', 'y');"
            "CREATE TABLE i (a TEXT); CREATE UNIQUE INDEX i_lower ON i (lower(a)); INSERT INTO i VALUES ('x');"
            "CREATE TABLE g (a INTEGER); CREATE TRIGGER no_13 BEFORE INSERT ON g WHEN new.a = 13 BEGIN SELECT RAISE(ABORT, 'unlucky'); END");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(dbm_exec(s, cases[i].sql), DBM_E_CONSTRAINT);
        assert_int_equal(rc, DBM_E_CONSTRAINT);
        DBM_FAILED(e) {
            if (e->constraint != cases[i].kind || strcmp(e->constraint_name, cases[i].name) != 0 || strcmp(e->sqlstate, cases[i].sqlstate) != 0) {
                fail_msg("%s: kind %d, name '%s', %s", cases[i].sql, (int)e->constraint, e->constraint_name, e->sqlstate);
            }
            assert_false(e->retryable);
            assert_int_not_equal(e->native_code, 0);
        }
    }
    assert_int_equal(dbm_exec(db, cases[10].sql), DBM_E_CONSTRAINT);
    assert_says(dbm_last_error()->message, "unlucky");
    assert_int_equal(dbm_exec(db, "INSERT INTO nowhere VALUES (1)"), DBM_E_SQL); /* what one failure said does not cling to the next */
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_NONE);
    assert_string_equal(dbm_last_error()->constraint_name, "");
    assert_int_equal(raw_number("SELECT count(*) FROM c"), 1);
}

/* ---- the statement cache -------------------------------------------------------------------------------------------------------------- */

static void the_cache_keeps_the_newest(void **state) {
    dbm_config c;
    dbm_database *small, *none;
    dbm_stats_info s0, s1;
    char *large = (char *)malloc(70000);
    (void)state;
    memset(&c, 0, sizeof c);
    c.statement_cache = 2;
    c.pool.size = 1;
    small = add("small", &c);
    c.statement_cache = -1;
    none = add("none", &c);
    assert_true(small != NULL && none != NULL && large != NULL);
    dbm_exec(small, "SELECT 1");
    dbm_exec(small, "SELECT 2");
    s0 = stats_of(small);
    dbm_exec(small, "SELECT 1");
    dbm_exec(small, "SELECT 2");
    dbm_exec(small, "SELECT 1");
    s1 = stats_of(small);
    assert_int_equal(s1.cache_hits - s0.cache_hits, 3);
    assert_int_equal(s1.cache_misses, s0.cache_misses);
    dbm_exec(small, "SELECT 3"); /* 2 was used longest ago */
    s0 = stats_of(small);
    assert_int_equal(s0.cache_evictions, 1);
    dbm_exec(small, "SELECT 1");
    dbm_exec(small, "SELECT 3");
    s1 = stats_of(small);
    assert_int_equal(s1.cache_hits - s0.cache_hits, 2);
    dbm_exec(small, "SELECT 2");
    assert_int_equal(stats_of(small).cache_misses - s1.cache_misses, 1);
    for (int i = 0; i < 50; i++) {
        char sql[40];
        snprintf(sql, sizeof sql, "SELECT %d", i);
        GOOD(dbm_exec(small, sql));
    }
    DBM_SESSION_ON(small, s) { /* more in use at once than it keeps */
        int n = 0;
        DBM_EACH(s, a, "SELECT 1") DBM_EACH(s, b, "SELECT 2") DBM_EACH(s, c2, "SELECT 3") DBM_EACH(s, d, "SELECT 4") {
            n += (int)(dbm_row_int(a, 0) + dbm_row_int(b, 0) + dbm_row_int(c2, 0) + dbm_row_int(d, 0));
        }
        assert_int_equal(n, 10);
    }
    for (int i = 0; i < 5; i++) dbm_exec(none, "SELECT 1");
    assert_int_equal(stats_of(none).cache_hits, 0);
    assert_int_equal(stats_of(none).cache_misses, 5);
    memset(large, ' ', 69999);
    large[69999] = 0;
    memcpy(large, "SELECT 1", 8);
    s0 = stats_of(small);
    for (int i = 0; i < 3; i++) GOOD(dbm_exec(small, large)); /* bulks written out are not kept */
    assert_int_equal(stats_of(small).cache_hits, s0.cache_hits);
    free(large);
    {
        char text[32] = "SELECT 100"; /* the same address, another text */
        DBM_SESSION_ON(small, s) {
            for (int i = 0; i < 10; i++) {
                dbm_row *row;
                text[9] = (char)('0' + i);
                GOOD(dbm_query_one(s, &row, text));
                assert_int_equal(dbm_row_int(row, 0), 100 + i);
            }
        }
    }
}

static void the_cache_survives_new_schemas(void **state) {
    (void)state;
    raw_run("INSERT INTO t (id, a, b) VALUES (1, 2, 'x')");
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        dbm_statement *st;
        GOOD(dbm_query_one(s, &row, "SELECT * FROM t"));
        assert_int_equal(dbm_row_columns(row), 3);
        GOOD(dbm_prepare(s, "SELECT * FROM t WHERE id = ?", &st));
        GOOD(dbm_stmt_query_one(st, &row, 1));
        GOOD(dbm_exec(s, "ALTER TABLE t ADD COLUMN c INTEGER DEFAULT 7"));
        for (int i = 0; i < 3; i++) {
            GOOD(dbm_query_one(s, &row, "SELECT * FROM t"));
            assert_int_equal(dbm_row_columns(row), 4);
            assert_int_equal(dbm_row_int(row, 3), 7);
            GOOD(dbm_stmt_query_one(st, &row, 1));
            assert_int_equal(dbm_row_columns(row), 4);
            assert_int_equal(dbm_row_index(row, "c"), 3);
        }
    }
    assert_false(dbm_session_failed(NULL));
    for (int i = 0; i < 3; i++) GOOD(dbm_exec(db, "INSERT INTO t (a) VALUES (1)"));
    raw_run("ALTER TABLE t ADD COLUMN d TEXT DEFAULT 'd'"); /* by somebody else */
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        int n = 0;
        GOOD(dbm_query_one(s, &row, "SELECT * FROM t"));
        assert_int_equal(dbm_row_columns(row), 5);
        assert_string_equal(dbm_row_text(row, 4), "d");
        DBM_EACH(s, r, "SELECT * FROM t") n += dbm_row_columns(r);
        assert_int_equal(n, 20);
        GOOD(dbm_exec(s, "INSERT INTO t (a) VALUES (1)"));
    }
    assert_false(dbm_session_failed(NULL));
    raw_run("DROP TABLE t");
    assert_int_equal(dbm_exec(db, "INSERT INTO t (a) VALUES (1)"), DBM_E_SQL);
    assert_says(dbm_last_error()->message, "no such table");
    raw_run("CREATE TABLE t (a TEXT, z TEXT)");
    GOOD(dbm_exec(db, "INSERT INTO t (a) VALUES (1)"));
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        GOOD(dbm_query_one(s, &row, "SELECT * FROM t"));
        assert_int_equal(dbm_row_columns(row), 2);
    }
}

/* ---- sessions that only read ------------------------------------------------------------------------------------------------------------ */

static void read_only_sessions(void **state) {
    static const char *const writes[] = {
        "INSERT INTO t (a) VALUES (1)", "UPDATE t SET a = 1", "DELETE FROM t", "CREATE TABLE x (y)", "DROP TABLE t", "INSERT INTO t (a) VALUES (1) RETURNING id",
        "WITH n AS (SELECT 1) INSERT INTO t (a) SELECT * FROM n", "REPLACE INTO t (id) VALUES (1)", "PRAGMA user_version = 5", "CREATE INDEX t_a ON t (a)"
    };
    dbm_status rc;
    dbm_row *row;
    (void)state;
    raw_run("INSERT INTO t (id, a) VALUES (1, 1)");
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) {
            uint64_t sent;
            GOOD(dbm_query_one(s, &row, "SELECT a FROM t"));
            GOOD(dbm_exec(s, "WITH n AS (SELECT 1) SELECT * FROM n"));
            GOOD(dbm_exec(s, "PRAGMA user_version"));
            GOOD(dbm_exec(s, "EXPLAIN INSERT INTO t (a) VALUES (1)"));
            sent = stats_of(db).statements;
            assert_int_equal(dbm_exec(s, writes[i]), DBM_E_READ_ONLY);
            assert_int_equal(stats_of(db).statements, sent);
        }
        assert_int_equal(rc, DBM_E_READ_ONLY);
    }
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .autocommit = true, .status = &rc) assert_int_equal(dbm_exec(s, writes[0]), DBM_E_READ_ONLY);
    assert_int_equal(rc, DBM_E_READ_ONLY);
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) GOOD(dbm_query_one(s, &row, "SELECT a FROM t"));
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(raw_number("SELECT count(*) FROM t"), 1);
    GOOD(dbm_exec(db, writes[0])); /* the next session may write again */
    DBM_SESSION_OPT(mgr, NULL, s, .isolation = DBM_READ_COMMITTED, .status = &rc) assert_int_equal(dbm_exec(s, "SELECT 1"), DBM_E_UNSUPPORTED);
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
    DBM_SESSION_OPT(mgr, NULL, s, .isolation = DBM_SERIALIZABLE, .status = &rc) GOOD(dbm_exec(s, "SELECT 1"));
    assert_int_equal(rc, DBM_OK);
}

/* ---- statements inside of loops ------------------------------------------------------------------------------------------------------------ */

static void fill_t(int n) {
    char sql[200];
    snprintf(sql, sizeof sql, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < %d) INSERT INTO t (id, a, b) SELECT i, i, 'row ' || i FROM c", n);
    raw_run(sql);
}

static void writes_inside_of_loops(void **state) {
    dbm_status rc;
    int loops = 0;
    (void)state;
    fill_t(10);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* an INSERT into the table being read ends */
        DBM_EACH(s, row, "SELECT id, a, b FROM t ORDER BY id") {
            int64_t id = dbm_row_int(row, 0);
            const char *text = dbm_row_text(row, 2);
            char expected[32];
            loops++;
            assert_int_equal(id, loops);
            snprintf(expected, sizeof expected, "row %d", loops);
            assert_string_equal(text, expected);
            GOOD(dbm_exec(s, "INSERT INTO t (a, b) VALUES (?, 'new')", id + 100));
            GOOD(dbm_exec(s, "DELETE FROM t WHERE id = ?", id));
            assert_string_equal(text, expected); /* the row in hand stays, its text too */
            assert_string_equal(dbm_row_text(row, 2), expected);
            assert_int_equal(dbm_row_int(row, 1), id);
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(loops, 10);
    assert_int_equal(raw_number("SELECT count(*) FROM t WHERE b = 'new'"), 10);
    assert_int_equal(raw_number("SELECT count(*) FROM t"), 10);
    raw_run("DELETE FROM t");
    fill_t(10);
    loops = 0;
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* nothing of the row is read before the write; the values of the query are gone by then */
        char least[8] = "3";
        DBM_EACH(s, row, "SELECT id, b FROM t WHERE id > CAST(? AS INTEGER) ORDER BY id", least) {
            least[0] = '9';
            loops++;
            GOOD(dbm_exec(s, "INSERT INTO t (a) VALUES (0)"));
            assert_int_equal(dbm_row_int(row, 0), loops + 3);
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(loops, 7);
    loops = 0;
    raw_run("DELETE FROM t");
    fill_t(10);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* the write comes late, and once */
        DBM_EACH(s, row, "SELECT id, b FROM t ORDER BY id") {
            char expected[32];
            loops++;
            snprintf(expected, sizeof expected, "row %d", loops);
            assert_string_equal(dbm_row_text(row, 1), expected);
            if (loops == 5) GOOD(dbm_exec(s, "UPDATE t SET b = 'changed'"));
            assert_string_equal(dbm_row_text(row, 1), expected); /* rows are those of before */
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(loops, 10);
}

static void reads_inside_of_loops(void **state) {
    dbm_status rc;
    int64_t sum = 0;
    int outer = 0, pairs = 0;
    (void)state;
    fill_t(5);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "SELECT id, b FROM t ORDER BY id") {
            dbm_row *one;
            const char *text = dbm_row_text(row, 1);
            char copy[32];
            outer++;
            snprintf(copy, sizeof copy, "%s", text);
            GOOD(dbm_query_one(s, &one, "SELECT a * 10 FROM t WHERE id = ?", dbm_row_int(row, 0)));
            sum += dbm_row_int(one, 0);
            DBM_EACH(s, inner, "SELECT id, b FROM t ORDER BY id") { /* the very same statement */
                pairs++;
                if (dbm_row_int(inner, 0) == 3) break;
            }
            assert_string_equal(text, copy);
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(outer, 5);
    assert_int_equal(pairs, 15);
    assert_int_equal(sum, 150);
    pairs = 0;
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* two loops, and a write in the inner one */
        DBM_EACH(s, a, "SELECT id FROM t ORDER BY id") {
            DBM_EACH(s, b, "SELECT id FROM t ORDER BY id DESC") {
                pairs++;
                GOOD(dbm_exec(s, "INSERT INTO v VALUES (?)", dbm_row_int(a, 0) * 10 + dbm_row_int(b, 0)));
                GOOD(dbm_exec(s, "INSERT INTO t (a) VALUES (-1)"));
            }
            if (pairs > 100) break;
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_true(pairs >= 25); /* the inner query is a new one each time, and sees what was written */
    assert_int_equal(raw_number("SELECT count(*) FROM v"), pairs);
}

static void loops_left_early_keep_what_was_written(void **state) {
    dbm_status rc;
    (void)state;
    fill_t(10);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "SELECT id FROM t ORDER BY id") {
            GOOD(dbm_exec(s, "INSERT INTO v VALUES (?)", dbm_row_int(row, 0)));
            if (dbm_row_int(row, 0) == 3) break;
        }
        GOOD(dbm_exec(s, "INSERT INTO v VALUES (100)"));
        GOOD(dbm_commit(s));
        DBM_EACH(s, row, "SELECT id FROM t ORDER BY id") { (void)row; break; }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(raw_number("SELECT count(*) FROM v"), 4);
}

static void what_can_not_be_kept_is_refused(void **state) {
    dbm_config c;
    dbm_database *small;
    dbm_status rc;
    int loops = 0;
    (void)state;
    fill_t(2000);
    memset(&c, 0, sizeof c);
    c.row_buffer = 8192;
    small = add("small", &c);
    DBM_SESSION_RC(mgr, "small", s, &rc) {
        DBM_EACH(s, row, "SELECT id, b FROM t ORDER BY id") {
            loops++;
            (void)dbm_row_text(row, 1);
            assert_int_equal(dbm_exec(s, "INSERT INTO v VALUES (1)"), DBM_E_LIMIT);
            assert_says(dbm_last_error()->message, "row_buffer");
            assert_says(dbm_last_error()->message, "test_sql.c:");
        }
    }
    assert_int_equal(rc, DBM_E_LIMIT);
    assert_int_equal(loops, 1);
    assert_int_equal(raw_number("SELECT count(*) FROM v"), 0);
    loops = 0;
    DBM_SESSION_RC(mgr, "small", s, &rc) { /* few enough */
        DBM_EACH(s, row, "SELECT id, b FROM t ORDER BY id LIMIT 20") {
            loops++;
            (void)dbm_row_text(row, 1);
            GOOD(dbm_exec(s, "INSERT INTO v VALUES (1)"));
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(loops, 20);
    assert_int_equal(stats_of(small).out, 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a second run would give other rows */
        DBM_EACH(s, row, "SELECT random(), id FROM t LIMIT 5") {
            (void)dbm_row_int(row, 0);
            assert_int_equal(dbm_exec(s, "INSERT INTO v VALUES (1)"), DBM_E_UNSUPPORTED);
            assert_says(dbm_last_error()->message, "random()");
        }
    }
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* read to their end they are fine */
        int64_t n = 0;
        DBM_EACH(s, row, "SELECT random() FROM t LIMIT 5") n += dbm_row_int(row, 0) != 0;
        GOOD(dbm_exec(s, "INSERT INTO v VALUES (?)", n));
    }
    assert_int_equal(rc, DBM_OK);
}

/* ---- what a session changes goes with it -------------------------------------------------------------------------------------------------- */

static void sessions_leave_the_connection_as_it_was(void **state) {
    dbm_config c;
    dbm_database *one;
    dbm_row *row;
    (void)state;
    memset(&c, 0, sizeof c);
    c.pool.size = 1;
    c.init_sql = "CREATE TEMP TABLE mine (x); INSERT INTO mine VALUES (7)";
    one = add("one", &c);
    for (int i = 0; i < 3; i++) {
        DBM_SESSION(mgr, "one", s) {
            GOOD(dbm_query_one(s, &row, "SELECT x FROM mine")); /* what init_sql made is there each time */
            assert_int_equal(dbm_row_int(row, 0), 7);
            GOOD(dbm_exec(s, "CREATE TEMP TABLE scratch (x)")); /* and what a session made is not */
        }
        assert_false(dbm_session_failed(NULL));
        GOOD(dbm_exec(one, "PRAGMA foreign_keys = OFF"));
        GOOD(dbm_exec(one, "ATTACH ':memory:' AS extra"));
        GOOD(dbm_query_one(one, &row, "PRAGMA foreign_keys"));
        assert_int_equal(dbm_row_int(row, 0), 1);
        dbm_row_end(row);
        assert_int_equal(dbm_exec(one, "SELECT * FROM extra.sqlite_master"), DBM_E_SQL);
    }
    GOOD(dbm_query_one(db, &row, "PRAGMA journal_mode"));
    assert_string_equal(dbm_row_text(row, 0), "wal");
    dbm_row_end(row);
}

/* ---- scripts and identifiers ---------------------------------------------------------------------------------------------------------------- */

static void scripts_and_identifiers(void **state) {
    char name[64], sql[128];
    dbm_status rc;
    (void)state;
    GOOD(dbm_script(db, "CREATE TABLE a (x); -- one; two\nINSERT INTO a VALUES ('a;b'), ('c');\n;; UPDATE a SET x = x || '?'"));
    assert_int_equal(raw_number("SELECT count(*) FROM a WHERE x LIKE '%?'"), 2);
    assert_int_equal(dbm_script(db, "DELETE FROM a;\n\nINSERT INTO nowhere VALUES (1)"), DBM_E_SQL);
    assert_says(dbm_last_error()->message, "line 3");
    assert_int_equal(raw_number("SELECT count(*) FROM a"), 2); /* all or nothing */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        GOOD(dbm_ident(s, name, sizeof name, "odd \"name\" ? [x]"));
        assert_string_equal(name, "\"odd \"\"name\"\" ? [x]\"");
        snprintf(sql, sizeof sql, "CREATE TABLE %s (x)", name);
        GOOD(dbm_exec(s, sql));
        assert_int_equal(dbm_ident(s, name, 4, "toolong"), DBM_E_RANGE);
        dbm_rollback(s);
        assert_int_equal(dbm_ident(s, name, sizeof name, ""), DBM_E_MISUSE);
        dbm_rollback(s);
    }
}

/* ---- logs ------------------------------------------------------------------------------------------------------------------------------------ */

static void echo_shows_statements(void **state) {
    dbm_config c;
    dbm_database *quiet, *loud;
    dbm_row *row;
    (void)state;
    memset(&c, 0, sizeof c);
    c.echo = DBM_ECHO_STATEMENTS;
    quiet = add("quiet", &c);
    c.echo = DBM_ECHO_VALUES;
    loud = add("loud", &c);
    GOOD(dbm_exec(db, "SELECT 'silent'"));
    assert_int_equal(test_log_count(&logged, DBM_EVENT_STATEMENT), 0);
    test_log_clear(&logged);
    GOOD(dbm_exec(quiet, "INSERT INTO t (a, b) VALUES (?, ?)", 4711, "hunter2"));
    assert_int_equal(test_log_count(&logged, DBM_EVENT_STATEMENT), 1);
    assert_says(test_log_text(&logged), "INSERT INTO t (a, b) VALUES (?, ?)");
    assert_null(strstr(test_log_text(&logged), "4711"));
    assert_null(strstr(test_log_text(&logged), "hunter2"));
    test_log_clear(&logged);
    GOOD(dbm_exec(loud, "INSERT INTO t (a, b) VALUES (?, ?)", 4711, "hunter2"));
    assert_says(test_log_text(&logged), "4711");
    assert_says(test_log_text(&logged), "hunter2");
    test_log_clear(&logged);
    GOOD(dbm_exec(loud, "INSERT INTO t (a, b) VALUES (:a, :b)", dbm_named("b", dbm_null()), dbm_named("a", dbm_double(1.5))));
    assert_says(test_log_text(&logged), "1.5, NULL");
    DBM_SESSION(mgr, "quiet", s) {
        for (int i = 0; i < 3; i++) GOOD(dbm_query_one(s, &row, "SELECT a FROM t WHERE a > ?", 1)); /* also when it is well known */
    }
    assert_int_equal(test_log_count(&logged, DBM_EVENT_STATEMENT), 4);
    assert_int_equal(dbm_exec(quiet, "INSERT INTO t (id) VALUES (?)", "hunter2"), DBM_E_SQL); /* nor does a failure show values */
    assert_null(strstr(dbm_last_error()->message, "hunter2"));
}

/* The server's URL holds the password s3cr%65t-pass, which is s3cret-pass. */
static int spilled;
static void look_for_secrets(const char *text) { spilled += strstr(text, "s3cr") != NULL; }
static void health(void *ud, const dbm_health_info *info) {
    (void)ud;
    look_for_secrets(info->message);
}
static void event(void *ud, const dbm_event *e) {
    (void)ud;
    look_for_secrets(e->text);
}

static void passwords_are_never_shown(void **state) {
    static const char *const texts[] = { "password s3cret-pass is wrong", "at scripted://app:s3cr%65t-pass@db.example/0", "s3cret-pass", "x s3cr%65t-pass y s3cret-pass" };
    server *v = server_make();
    dbm_options options;
    dbm_config c;
    dbm_manager *m;
    dbm_database *d;
    (void)state;
    spilled = 0;
    memset(&options, 0, sizeof options);
    options.event = event;
    options.grace_ms = -1;
    m = server_manager(&options);
    memset(&c, 0, sizeof c);
    c.echo = DBM_ECHO_VALUES;
    c.pool.size = 1;
    c.pool.max_overflow = -1;
    c.pool.timeout_ms = 20;
    d = server_add(m, v, "scripted", &c);
    look_for_secrets(dbm_database_config(d)->url);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        dbm_error_info e;
        plan_fail_text(v, DBM_OP_EXECUTE, 1, DBM_E_SQL, texts[i]);
        assert_int_equal(dbm_exec(d, "write"), DBM_E_SQL);
        look_for_secrets(dbm_last_error()->message);
        plan_fail_text(v, DBM_OP_COMMIT, 1, DBM_E_CONSTRAINT, texts[i]);
        DBM_SESSION(m, NULL, s) dbm_exec(s, "write ?", texts[i]);
        assert_true(dbm_session_failed(&e));
        look_for_secrets(e.message);
        dbm_exec(d, "write 's3cret-pass'");
        dbm_exec(d, "INVALID 's3cret-pass'");
        look_for_secrets(dbm_last_error()->message);
        dbm_exec(d, "fail s3cret-pass");
        look_for_secrets(dbm_last_error()->message);
        server_kill(v, 0);
        plan_fail_text(v, DBM_OP_CONNECT, 0, DBM_E_AUTH, texts[i]);
        assert_int_not_equal(dbm_exec(d, "write"), DBM_OK);
        look_for_secrets(dbm_last_error()->message);
        (void)dbm_health(m, health, NULL);
        look_for_secrets(dbm_last_error()->message);
        plan_clear(v);
        UNTIL(dbm_exec(d, "write") == DBM_OK);
    }
    look_for_secrets(test_log_text(&the_log));
    assert_int_equal(spilled, 0);
    assert_true(test_log_count(&the_log, DBM_EVENT_STATEMENT) > 8);
    assert_says(test_log_text(&the_log), "write");
    assert_int_equal(dbm_close_all(m), DBM_OK);
    dbm_manager_free(m);
    server_end_all();
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
        T(integers),
        T(booleans_and_null),
        T(doubles),
        T(texts_and_blobs),
        T(decimals_timestamps_and_the_rest),
        T(placeholders),
        T(each_value_is_evaluated_once),
        T(rows_and_columns),
        T(affected_and_last_id),
        T(constraints_say_which),
        T(the_cache_keeps_the_newest),
        T(the_cache_survives_new_schemas),
        T(read_only_sessions),
        T(writes_inside_of_loops),
        T(reads_inside_of_loops),
        T(loops_left_early_keep_what_was_written),
        T(what_can_not_be_kept_is_refused),
        T(sessions_leave_the_connection_as_it_was),
        T(scripts_and_identifiers),
        T(echo_shows_statements),
        cmocka_unit_test(passwords_are_never_shown),
    };
    return cmocka_run_group_tests_name("sql", tests, NULL, NULL);
}
