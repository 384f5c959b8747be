/* Sessions in C++11: blocks are guarded by objects, so that exceptions leave them as return does; values and targets by overloads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" { /* some versions of it do not say so themselves */
#include <cmocka.h>
}
#include "dbm_test.h"
#include <sqlite3.h>
#include <stdexcept>
#include <string>
#include <vector>

static test_dir dir;
static test_log logged;
static test_heap heap;
static dbm_manager *mgr;
static dbm_database *db;
static sqlite3 *raw;

static int64_t raw_number(const char *sql) {
    sqlite3_stmt *stmt = NULL;
    assert_int_equal(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}
static int64_t sum() { return raw_number("SELECT coalesce(sum(a), 0) FROM t"); }

static dbm_stats_info stats() {
    dbm_stats_info s;
    dbm_stats(db, &s);
    return s;
}
static void assert_idle() {
    assert_int_equal(stats().out, 0);
    assert_int_equal(stats().idle, stats().open);
    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
}

static int open_all(void **) {
    test_dir_make(&dir);
    test_log_clear(&logged);
    memset(&heap, 0, sizeof heap);
    dbm_options options = dbm_options();
    options.allocator = test_heap_allocator(&heap);
    options.log = test_log_hook;
    options.log_ud = &logged;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.url = test_dir_url(&dir, "app.db"), .pool.size = 2, .pool.max_overflow = -1, .pool.timeout_ms = 50)), DBM_OK);
    db = dbm_get(mgr, "default");
    assert_non_null(db);
    assert_int_equal(dbm_script(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT)"), DBM_OK);
    assert_int_equal(sqlite3_open(test_dir_file(&dir, "app.db"), &raw), SQLITE_OK);
    assert_int_equal(dbm_database_config(db)->pool.size, 2);
    return 0;
}

static int close_all(void **) {
    assert_idle();
    sqlite3_close(raw);
    assert_int_equal(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    assert_int_equal(test_heap_live(&heap), 0);
    return 0;
}

static void put(dbm_session *s, int a) { assert_int_equal(dbm_exec(s, "INSERT INTO t (a) VALUES (?)", a), DBM_OK); }

static void exceptions_roll_back(void **) {
    dbm_status rc = DBM_OK, inner = DBM_OK, part = DBM_OK;
    int caught = 0, failed = 0;
    try {
        DBM_SESSION_RC(mgr, "default", s, &rc) {
            put(s, 1);
            throw std::runtime_error("no");
        }
    } catch (const std::exception &e) {
        caught += std::string(e.what()) == "no";
    }
    DBM_FAILED(err) {
        failed++;
        assert_int_equal(err->status, DBM_E_LEFT_EARLY);
        assert_non_null(strstr(err->site, "test_session_cpp.cpp:"));
    }
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_int_equal(caught + failed, 2);
    assert_int_equal(test_log_count(&logged, DBM_EVENT_LEFT_EARLY), 1);
    assert_int_equal(sum(), 0);
    assert_idle();

    DBM_SESSION_RC(mgr, "default", s, &rc) { /* out of everything that may be open */
        put(s, 1);
        try {
            DBM_SESSION_RC(mgr, "default", s2, &inner) {
                put(s2, 2);
                DBM_SAVEPOINT_RC(s2, &part) {
                    DBM_EACH(s2, row, "SELECT a FROM t") {
                        dbm_exec(s2, "UPDATE t SET a = ?", dbm_row_int(row, 0) + 100);
                        throw 7;
                    }
                }
            }
        } catch (int n) {
            caught += n;
        }
        assert_int_equal(inner, DBM_E_LEFT_EARLY);
        assert_int_equal(part, DBM_ROLLED_BACK);
        put(s, 4);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(sum(), 5);
    try {
        DBM_SESSION(mgr, "default", s) {
            put(s, 8);
            dbm_commit(s);
            throw 7;
        }
    } catch (int) {
        caught++;
    }
    assert_int_equal(sum(), 13);
    try {
        DBM_EACH(db, row, "SELECT a FROM t") throw dbm_row_int(row, 0); /* rows of a database give their connection back */
    } catch (int64_t) {
        caught++;
    }
    assert_int_equal(caught, 10);
    assert_int_equal(stats().out, 0);
}

static int by_return(int n) {
    DBM_SESSION(mgr, "default", s) {
        put(s, n);
        if (n == 1) return 1;
        if (n == 2) DBM_RETURN(s, 2);
        if (n == 3) DBM_GOTO(s, out);
        if (n == 4) break;
        if (n == 5) continue;
        dbm_commit(s);
        return 6;
    }
    return 7;
out:
    return 8;
}

static void every_way_out(void **) {
    dbm_status rc = DBM_OK;
    assert_int_equal(by_return(1), 1);
    assert_int_equal(by_return(2), 2);
    assert_int_equal(by_return(3), 8);
    assert_int_equal(by_return(4), 7);
    assert_int_equal(sum(), 0);
    assert_int_equal(by_return(5), 7);
    assert_int_equal(by_return(6), 6);
    assert_int_equal(sum(), 11);
    {
        DBM_AUTO_SESSION(mgr, "default", s, &rc);
        put(s, 10);
        assert_int_equal(dbm_commit(s), DBM_OK);
        put(s, 100);
    }
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_int_equal(sum(), 21);
    DBM_SESSION_ON(db, s) put(s, 1);
    DBM_SESSION_OPT(mgr, "default", s, .timeout_ms = 10000, .status = &rc) { put(s, 1); dbm_exec(s, "INSERT INTO nowhere VALUES (1)"); }
    assert_int_equal(rc, DBM_E_SQL);
    dbm_session_options options = dbm_session_options();
    options.read_only = true;
    options.status = &rc;
    DBM_SESSION_WITH(mgr, "default", s, &options) assert_int_equal(dbm_exec(s, "DELETE FROM t"), DBM_E_READ_ONLY);
    assert_int_equal(rc, DBM_E_READ_ONLY);
    int runs = 0;
    DBM_RETRY(mgr, "default", s, 3) { runs++; put(s, 1); }
    assert_int_equal(runs, 1);
    assert_int_equal(sum(), 23);
    if (runs)
        DBM_SESSION(mgr, "default", s) put(s, 1);
    else
        DBM_SESSION(mgr, "default", s) put(s, 100);
    DBM_SESSION(mgr, "default", s) DBM_SAVEPOINT(s) DBM_SAVEPOINT(s) put(s, 1);
    assert_int_equal(sum(), 25);
    for (int i = 0; i < 3; i++) {
        DBM_SESSION(mgr, "default", s) dbm_exec(s, "INSERT INTO nowhere VALUES (1)");
        DBM_FAILED(err) { runs += err->status == DBM_E_SQL; continue; }
    }
    assert_int_equal(runs, 4);
    dbm_session h;
    assert_int_equal(dbm_session_begin(db, NULL, &h), DBM_OK);
    put(&h, 1);
    assert_int_equal(dbm_session_end(&h), DBM_E_LEFT_EARLY);
    DBM_SESSION_RC(mgr, "nobody", s, &rc) fail_msg("%p", (void *)s);
    assert_int_equal(rc, DBM_E_UNKNOWN_NAME);
}

template <class T> static T one(dbm_session *s, const char *sql, const T &value) {
    T out = T();
    dbm_row *row = NULL;
    if (dbm_query_one(s, &row, sql, value) == DBM_OK) dbm_scan(row, &out);
    return out;
}

template <class F> static dbm_status with_session(F body) {
    dbm_status rc;
    DBM_SESSION_RC(mgr, "default", s, &rc) body(s);
    return rc;
}

static void templates_and_lambdas(void **) {
    int64_t total = 0;
    auto insert = [](dbm_session *s, int n) { dbm_exec(s, "INSERT INTO t (a) VALUES (?)", n); };
    assert_int_equal(with_session([&](dbm_session *s) {
        for (int i = 1; i <= 3; i++) insert(s, i);
        DBM_EACH(s, row, "SELECT a FROM t WHERE a >= ?", 2) total += dbm_row_int(row, 0);
        assert_int_equal(one<int>(s, "SELECT ? + 1", 41), 42);
        assert_true(one<double>(s, "SELECT ? * 2", 0.25) == 0.5);
        assert_int_equal(one<short>(s, "SELECT ?", 7), 7);
        assert_true(one<bool>(s, "SELECT ?", true));
    }), DBM_OK);
    assert_int_equal(total, 5);
    assert_int_equal(with_session([](dbm_session *s) { dbm_exec(s, "SELECT nothing"); }), DBM_E_SQL);
    std::vector<std::string> texts;
    assert_int_equal(dbm_exec(db, "UPDATE t SET b = 'b' || a"), DBM_OK);
    DBM_EACH(db, row, "SELECT b FROM t ORDER BY a") texts.push_back(dbm_row_text(row, 0));
    assert_int_equal(texts.size(), 3);
    assert_true(texts[2] == "b3");
}

static int counted;
static int next_one() { return ++counted; }

static void values_of_every_type(void **) {
    const std::string text("a\0b", 3), empty;
    const char *none = NULL;
    char array[] = "array";
    char buf[8];
    int8_t i8 = 0; uint8_t u8 = 0; int16_t i16 = 0; uint16_t u16 = 0; int i = 0; unsigned u = 0; long l = 0; unsigned long ul = 0; long long ll = 0; unsigned long long ull = 0;
    float f = 0; double d = 0; bool yes = false;
    const char *t = NULL;
    dbm_bytes bytes = dbm_bytes();
    dbm_value v = dbm_value();
    dbm_optional_int oi = dbm_optional_int(); dbm_optional_double od = dbm_optional_double(); dbm_optional_bool ob = dbm_optional_bool();
    DBM_SESSION(mgr, "default", s) {
        dbm_row *row = NULL;
        dbm_statement *st = NULL;
        dbm_rows *rows = NULL;
        const dbm_value list[] = { dbm_int(1), dbm_text("x") };
        assert_int_equal(dbm_query_one(s, &row, "SELECT ?, ?, ?, ?, ?, ?", text, empty, nullptr, NULL, none, array), DBM_OK);
        size_t size = 0;
        assert_memory_equal(dbm_row_blob(row, 0, &size), "a\0b", 3);
        assert_int_equal(size, 3);
        assert_false(dbm_row_is_null(row, 1)); /* an empty std::string is a text */
        assert_true(dbm_row_is_null(row, 2) && dbm_row_is_null(row, 3) && dbm_row_is_null(row, 4));
        assert_string_equal(dbm_row_text(row, 5), "array");
        assert_int_equal(dbm_query_one(s, &row, "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?", static_cast<signed char>(-8), static_cast<unsigned char>(8),
                                       static_cast<short>(-16), static_cast<unsigned short>(16), -32, 32u, -64l, 64ul, -65ll, 65ull, 1.5f, 2.5, true, "text",
                                       "bytes", dbm_decimal("1.10"), 5, dbm_null(), false, "buffer"), DBM_OK);
        assert_int_equal(dbm_scan(row, &i8, &u8, &i16, &u16, &i, &u, &l, &ul, &ll, &ull, &f, &d, &yes, &t, &bytes, &v, &oi, &od, &ob, &buf), DBM_OK);
        assert_true(i8 == -8 && u8 == 8 && i16 == -16 && u16 == 16 && i == -32 && u == 32 && l == -64 && ul == 64 && ll == -65 && ull == 65);
        assert_true(f == 1.5f && d == 2.5 && yes && std::string(t) == "text" && bytes.size == 5);
        assert_true(v.type == DBM_TYPE_TEXT && oi.has && oi.value == 5 && !od.has && ob.has && !ob.value);
        assert_string_equal(buf, "buffer");
        assert_int_equal(dbm_query_one(s, &row, "SELECT ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ? + ?",
            next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(),
            next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(), next_one(),
            next_one(), next_one(), next_one(), next_one()), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 32 * 33 / 2);
        assert_int_equal(counted, 32);
        assert_int_equal(dbm_exec(s, "INSERT INTO t (a, b) VALUES (:a, :b)", dbm_named("b", dbm_text("y")), dbm_named("a", dbm_int(2))), DBM_OK);
        assert_int_equal(dbm_execv(s, "INSERT INTO t (a, b) VALUES (?, ?)", list, 2), DBM_OK);
        assert_int_equal(dbm_prepare(s, "SELECT b FROM t WHERE a = ?", &st), DBM_OK);
        DBM_STMT_EACH(st, r, 2) assert_string_equal(dbm_row_text(r, 0), "y");
        assert_int_equal(dbm_stmt_query_one(st, &row, 1), DBM_OK);
        assert_string_equal(dbm_row_text(row, 0), "x");
        assert_int_equal(dbm_stmt_query(st, &rows, 1), DBM_OK);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_OK);
        dbm_rows_end(rows);
        assert_int_equal(dbm_queryv(s, &rows, "SELECT ?, ?", list, 2), DBM_OK);
        dbm_rows_end(rows);
        assert_int_equal(dbm_prepare(s, "DELETE FROM t WHERE a = ?", &st), DBM_OK);
        assert_int_equal(dbm_stmt_send(st, 1), DBM_OK);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_send(s, "DELETE FROM t WHERE a = ?", 1), DBM_OK);
    }
    DBM_FAILED(err) fail_msg("%s", err->message);
    assert_int_equal(sum(), 2);
}

struct city { int64_t id; const char *name; int32_t people; };
DBM_MODEL(city, "t", DBM_KEY(id));

static void rows_in_bulk(void **) {
    static const int64_t ids[] = { 1, 2, 3 };
    static const char *const names[] = { "x", nullptr, "z" };
    static const unsigned char nulls[] = { 2 };
    char buffers[3][8] = { "a", "b", "c" };
    const city cities[] = { { 11, "here", 4 }, { 12, "there", 5 } };
    std::vector<int32_t> numbers(3, 7);
    dbm_bulk *b;
    int skipped = 0;
    DBM_SESSION(mgr, nullptr, s) {
        const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(names), DBM_COLUMN_NULLS(numbers, nulls) };
        const dbm_column fields[] = { DBM_COLUMN_FIELD(cities, id), DBM_COLUMN_FIELD(cities, name), DBM_COLUMN_FIELD(cities, people) };
        const dbm_column texts[] = { DBM_COLUMN_AS(DBM_TYPE_JSON, buffers) };
        assert_int_equal(dbm_bulk_begin(s, &b, "t", "id,b,a"), DBM_OK);
        assert_int_equal(dbm_bulk_columns(b, columns, 3, 3), DBM_OK);
        assert_int_equal(dbm_bulk_columns(b, fields, 3, 2), DBM_OK);
        assert_int_equal(dbm_bulk_row(b, 20, std::string("text"), nullptr), DBM_OK);
        assert_int_equal(dbm_bulk_row(b, 21, NULL, true), DBM_OK);
        assert_int_equal(dbm_bulk_end(b), DBM_OK);
        assert_int_equal(dbm_affected(s), 7);
        assert_int_equal(dbm_bulk_begin(s, &b, "t", "b"), DBM_OK);
        assert_int_equal(dbm_bulk_columns(b, texts, 1, 3), DBM_OK);
        assert_int_equal(dbm_bulk_end(b), DBM_OK);
    }
    assert_false(dbm_session_failed(nullptr));
    assert_int_equal(sum(), 7 + 7 + 4 + 5 + 1);
    assert_int_equal(raw_number("SELECT count(*) FROM t WHERE b IN ('a', 'b', 'c', 'here', 'text')"), 5);
    assert_int_equal(dbm_bulk_begin_opt(db, &b, "t", "id", .each_row = true, .failed = [](void *ud, int64_t, const dbm_error_info *) { ++*static_cast<int *>(ud); },
                                        .failed_ud = &skipped), DBM_OK);
    assert_int_equal(dbm_bulk_row(b, 20), DBM_OK);
    assert_int_equal(dbm_bulk_end(b), DBM_OK);
    assert_int_equal(skipped, 1);
    const city more[] = { { 30, "", 0 }, { 31, "", 0 } };
    assert_int_equal(dbm_insert_structs(db, &city_model, more, 2), DBM_OK);
    try {
        DBM_SESSION(mgr, nullptr, s) {
            assert_int_equal(dbm_bulk_begin(s, &b, "t", "a"), DBM_OK);
            assert_int_equal(dbm_bulk_row(b, 1000), DBM_OK);
            throw std::runtime_error("in the middle");
        }
    } catch (const std::runtime_error &) {}
    DBM_FAILED(err) assert_int_equal(err->status, DBM_E_LEFT_EARLY);
    assert_int_equal(sum(), 7 + 7 + 4 + 5 + 1);
    assert_idle();
}

int main() {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
        T(exceptions_roll_back),
        T(every_way_out),
        T(templates_and_lambdas),
        T(values_of_every_type),
        T(rows_in_bulk),
    };
    return cmocka_run_group_tests_name("session_cpp", tests, NULL, NULL);
}
