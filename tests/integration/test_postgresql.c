/* The PostgreSQL adapter against a real server: values, errors, transactions, rows, prepared statements, settings, round trips.
 * What dies, hangs or is refused on the way is in test_postgresql_faults.c. */
#include "dbm_test.h"
#include "servers/test_servers.h"
#define TEST_POSTGRESQL_OVERFLOW 1
#include "servers/test_postgresql.h"
#include "proxy.h"
#include "listener.h"
#include <libpq-fe.h>
#include <math.h>
#include <sys/resource.h>

static long backend(dbm_session *s) {
    dbm_row *row;
    OK(dbm_query_one(s, &row, "SELECT pg_backend_pid()"));
    return (long)dbm_row_int(row, 0);
}

/* ---- values ------------------------------------------------------------------------------------------------------------------ */

typedef struct one_value { const char *sql; dbm_type type; const char *text; int64_t integer; double real; } one_value;
static const one_value values[] = {
    { "true", DBM_TYPE_BOOL, NULL, 1, 0 }, { "false", DBM_TYPE_BOOL, NULL, 0, 0 }, { "null::bool", DBM_TYPE_NULL, NULL, 0, 0 },
    { "(-32768)::int2", DBM_TYPE_INT, NULL, -32768, 0 }, { "32767::int2", DBM_TYPE_INT, NULL, 32767, 0 },
    { "(-2147483648)::int4", DBM_TYPE_INT, NULL, INT32_MIN, 0 }, { "2147483647::int4", DBM_TYPE_INT, NULL, INT32_MAX, 0 },
    { "(-9223372036854775808)::int8", DBM_TYPE_INT, NULL, INT64_MIN, 0 }, { "9223372036854775807::int8", DBM_TYPE_INT, NULL, INT64_MAX, 0 },
    { "4294967295::oid", DBM_TYPE_INT, NULL, 4294967295, 0 },
    { "0.1::float4", DBM_TYPE_DOUBLE, NULL, 0, (double)0.1f }, { "3.4028235e38::float4", DBM_TYPE_DOUBLE, NULL, 0, (double)3.4028235e38f },
    { "0.1::float8", DBM_TYPE_DOUBLE, NULL, 0, 0.1 }, { "1.7976931348623157e308::float8", DBM_TYPE_DOUBLE, NULL, 0, 1.7976931348623157e308 },
    { "5e-324::float8", DBM_TYPE_DOUBLE, NULL, 0, 5e-324 }, { "'-Infinity'::float8", DBM_TYPE_DOUBLE, NULL, 0, -HUGE_VAL },
    { "'Infinity'::float4", DBM_TYPE_DOUBLE, NULL, 0, HUGE_VAL },
    { "1.10::numeric", DBM_TYPE_DECIMAL, "1.10", 0, 0 }, { "'NaN'::numeric", DBM_TYPE_DECIMAL, "NaN", 0, 0 },
    { "-123456789012345678901234567890.000000000000000000001::numeric", DBM_TYPE_DECIMAL, "-123456789012345678901234567890.000000000000000000001", 0, 0 },
    { "'h\xc3\xa4'::text", DBM_TYPE_TEXT, "h\xc3\xa4", 0, 0 }, { "''::text", DBM_TYPE_TEXT, "", 0, 0 }, { "null::text", DBM_TYPE_NULL, NULL, 0, 0 },
    { "'ab'::varchar(3)", DBM_TYPE_TEXT, "ab", 0, 0 }, { "'ab'::char(3)", DBM_TYPE_TEXT, "ab ", 0, 0 }, { "'ab'::name", DBM_TYPE_TEXT, "ab", 0, 0 },
    { "'x'::\"char\"", DBM_TYPE_TEXT, "x", 0, 0 },
    { "'\\x00ff5c27'::bytea", DBM_TYPE_BLOB, "\0\377\\'", 4, 0 }, { "''::bytea", DBM_TYPE_BLOB, "", 0, 0 },
    { "'{\"a\": 1}'::json", DBM_TYPE_JSON, "{\"a\": 1}", 0, 0 }, { "'{\"a\":1}'::jsonb", DBM_TYPE_JSON, "{\"a\": 1}", 0, 0 },
    { "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", DBM_TYPE_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", 0, 0 },
    { "'2024-02-29'::date", DBM_TYPE_TEXT, "2024-02-29", 0, 0 }, { "'0044-03-15 BC'::date", DBM_TYPE_TEXT, "0044-03-15 BC", 0, 0 },
    { "'infinity'::date", DBM_TYPE_TEXT, "infinity", 0, 0 }, { "'12345-01-02'::date", DBM_TYPE_TEXT, "12345-01-02", 0, 0 },
    { "'2024-02-29 12:34:56.789012+00'::timestamptz", DBM_TYPE_TIMESTAMP, NULL, 1709210096789012, 0 },
    { "'2024-02-29 12:34:56.789012+05:30'::timestamptz", DBM_TYPE_TIMESTAMP, NULL, 1709190296789012, 0 },
    { "'2024-02-29 12:34:56'::timestamp", DBM_TYPE_TIMESTAMP, NULL, 1709210096000000, 0 },
    { "'1969-12-31 23:59:59.999999'::timestamp", DBM_TYPE_TIMESTAMP, NULL, -1, 0 },
    { "'0001-01-01 00:00:00'::timestamp", DBM_TYPE_TIMESTAMP, NULL, -62135596800000000, 0 },
    { "'0044-03-15 12:00:00 BC'::timestamp", DBM_TYPE_TIMESTAMP, NULL, -63517780800000000, 0 },
    { "'294246-12-31 23:59:59.999999'::timestamp", DBM_TYPE_TIMESTAMP, NULL, 9223371244799999999, 0 },
    { "'infinity'::timestamptz", DBM_TYPE_TEXT, "infinity", 0, 0 }, { "'-infinity'::timestamp", DBM_TYPE_TEXT, "-infinity", 0, 0 },
    { "'12:34:56.789'::time", DBM_TYPE_TEXT, "12:34:56.789", 0, 0 }, { "'12:34:56+02'::timetz", DBM_TYPE_TEXT, "12:34:56+02", 0, 0 },
    { "'1 year 2 mons 3 days 04:05:06'::interval", DBM_TYPE_TEXT, "1 year 2 mons 3 days 04:05:06", 0, 0 },
    { "'{1,2,NULL}'::int[]", DBM_TYPE_TEXT, "{1,2,NULL}", 0, 0 }, { "'{\"a b\",c}'::text[]", DBM_TYPE_TEXT, "{\"a b\",c}", 0, 0 },
    { "'sad'::mood", DBM_TYPE_TEXT, "sad", 0, 0 }, { "5::small", DBM_TYPE_INT, NULL, 5, 0 }, { "'127.0.0.1/8'::inet", DBM_TYPE_TEXT, "127.0.0.1/8", 0, 0 },
    { "'[1,5)'::int4range", DBM_TYPE_TEXT, "[1,5)", 0, 0 }, { "'101'::bit(3)", DBM_TYPE_TEXT, "101", 0, 0 }, { "'$1.50'::money", DBM_TYPE_TEXT, "$1.50", 0, 0 },
    { "row(1, 'x')", DBM_TYPE_TEXT, "(1,x)", 0, 0 }, { "'<a/>'::xml", DBM_TYPE_TEXT, "<a/>", 0, 0 }, { "NULL", DBM_TYPE_NULL, NULL, 0, 0 }
};

static void value_is(const one_value *want, dbm_row *row, int column, const char *how) {
    dbm_value v = dbm_row_value(row, column), again = dbm_row_value(row, column);
    bool right = v.type == want->type && again.type == v.type;
    if (right) switch ((int)want->type) {
    case DBM_TYPE_BOOL: case DBM_TYPE_INT: case DBM_TYPE_TIMESTAMP: right = v.as.integer == want->integer; break;
    case DBM_TYPE_DOUBLE: right = v.as.real == want->real; break;
    case DBM_TYPE_NULL: break;
    default: {
        size_t size = want->type == DBM_TYPE_BLOB ? (size_t)want->integer : strlen(want->text);
        right = v.as.text.size == size && memcmp(v.as.text.data, want->text, size) == 0 && v.as.text.data[size] == 0 &&
                again.as.text.size == size && memcmp(again.as.text.data, want->text, size) == 0;
        break;
    }
    }
    if (!right) {
        char text[64];
        size_t size;
        fail_msg("%s, %s: type %d (%s), expected type %d", want->sql, how, (int)v.type, dbm__to_text(&v, text, sizeof text, &size), (int)want->type);
    }
}

/* The same value and type each time, whether the server wrote text or binary: first run, prepared run, later runs, cursor batches. */
static void every_type_is_exact(void **state) {
    char sql[400];
    size_t i;
    (void)state;
    (void)raw_text("DROP DOMAIN IF EXISTS small; DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS int CHECK (value < 10)");
    for (i = 0; i < sizeof values / sizeof values[0]; i++) {
        dbm_status rc;
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            int run;
            (void)snprintf(sql, sizeof sql, "SELECT %s, 7", values[i].sql);
            for (run = 0; run < 4; run++) {
                dbm_row *row;
                if (dbm_query_one(s, &row, sql) != DBM_OK) break;
                value_is(&values[i], row, 0, run == 0 ? "first" : run == 1 ? "prepared" : "later");
                assert_int_equal(dbm_row_int(row, 1), 7);
            }
            (void)snprintf(sql, sizeof sql, "SELECT %s, g FROM generate_series(1, 200) g", values[i].sql);
            for (run = 0; run < 2; run++) {
                int seen = 0;
                DBM_EACH(s, row, sql) {
                    seen++;
                    if (seen % 37 != 1) continue;
                    value_is(&values[i], row, 0, seen <= 64 ? "first batch" : "later batch");
                    assert_int_equal(dbm_row_int(row, 1), seen);
                }
                assert_int_equal(seen, 200);
            }
        }
        if (rc != DBM_OK) fail_msg("%s: %s", values[i].sql, dbm_last_error()->message);
    }
}

/* All columns at once: some can't be had in binary, so none is. */
static void nan_and_rows_put_aside(void **state) {
    dbm_row *row;
    dbm_status rc;
    int run;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        for (run = 0; run < 4; run++) {
            double f4, f8;
            OK(dbm_query_one(s, &row, "SELECT 'NaN'::float4, 'NaN'::float8"));
            dbm_scan(row, &f4, &f8);
            assert_true(f4 != f4 && f8 != f8); /* NOLINT(misc-redundant-expression) */
        }
        for (run = 0; run < 5; run++) { /* direct from the third on: then the rest is put aside for the inner one */
            int seen = 0;
            DBM_EACH(s, outer, "SELECT g, g::text, CASE WHEN g % 2 = 0 THEN NULL ELSE decode('00ff', 'hex') END, '2024-02-29'::date + g FROM generate_series(0, 9) g") {
                int64_t inner_value = -1;
                size_t size = 77;
                DBM_EACH(s, inner, "SELECT ?::int + 1", seen) inner_value = dbm_row_int(inner, 0);
                assert_int_equal(inner_value, seen + 1);
                assert_int_equal(dbm_row_int(outer, 0), seen);
                assert_int_equal(atoi(dbm_row_text(outer, 1)), seen);
                assert_int_equal(dbm_row_is_null(outer, 2), seen % 2 == 0);
                if (seen % 2 != 0) assert_memory_equal(dbm_row_blob(outer, 2, &size), "\0\377", 2);
                assert_int_equal(size, seen % 2 != 0 ? 2 : 77);
                if (seen == 1) assert_string_equal(dbm_row_text(outer, 3), "2024-03-01");
                seen++;
            }
            assert_int_equal(seen, 10);
        }
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}

static void times_that_do_not_fit(void **state) {
    dbm_status rc;
    int run;
    (void)state;
    for (run = 0; run < 4; run++) {
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
            dbm_row *row;
            OK(dbm_query_one(s, &row, "SELECT '294247-01-01'::timestamp"));
            (void)dbm_row_timestamp(row, 0);
        }
        assert_int_equal(rc, DBM_E_RANGE);
        assert_non_null(strstr(dbm_last_error()->message, "294246"));
    }
}

static void arguments_are_exact(void **state) {
    static const char all[] = "\0\1\2\377\\'\"%";
    char id[] = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    dbm_status rc;
    int run;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS args; CREATE TABLE args (b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, t text, v varchar(20), y bytea, j json, "
                   "jb jsonb, u uuid, ts timestamp, tz timestamptz, d date, im int, tx text)");
    for (run = 0; run < 4; run++) {
        (void)raw_text("DELETE FROM args");
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_exec(s, "INSERT INTO args VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", true, -5, 70000, INT64_MIN, 0.1f, 0.1, dbm_uint(UINT64_MAX), "h\xc3\xa4'\\", dbm_textn("abcdef", 3),
                     dbm_blob(all, 8), dbm_json("{\"a\":1}"), dbm_json("{\"a\":1}"), dbm_uuid(id), dbm_timestamp(1709210096789012), dbm_timestamp(-1), dbm_timestamp(1709210096789012),
                     true, 17);
        }
        if (rc != DBM_OK) fail_msg("run %d: %s", run, dbm_last_error()->message);
        assert_string_equal(raw_text("SELECT concat_ws(';', b, i2, i4, i8, f4, f8, n, t, v, y, j, jb, u, ts, tz AT TIME ZONE 'UTC', d, im, tx) FROM args"),
                            "t;-5;70000;-9223372036854775808;0.1;0.1;18446744073709551615;h\xc3\xa4'\\;abc;\\x000102ff5c272225;{\"a\":1};{\"a\": 1};a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11;"
                            "2024-02-29 12:34:56.789012;1969-12-31 23:59:59.999999;2024-02-29;1;17");
        (void)raw_text("DELETE FROM args");
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_exec(s, "INSERT INTO args VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", NULL, dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(),
                     dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null());
        }
        assert_int_equal(rc, DBM_OK);
        assert_string_equal(raw_text("SELECT concat_ws(';', b, i2, i4, i8, f4, f8, n, t, v, y, j::text, jb, u, ts, tz, d, im, tx) FROM args"), "");
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_row *row;
            double inf = HUGE_VAL;
            OK(dbm_query_one(s, &row, "SELECT ?::float8, ?::float8, ?::numeric, ?::float8 = 'NaN', ?::numeric, ?::int8, ? || 'x', ?::date + ?::int", inf, -inf, 1e300, NAN, dbm_decimal("1.10"), 5.0, 7,
                             "2024-02-28", 1));
            assert_true(dbm_row_double(row, 0) == inf && dbm_row_double(row, 1) == -inf && dbm_row_bool(row, 3));
            assert_string_equal(dbm_row_text(row, 4), "1.10");
            assert_int_equal(dbm_row_int(row, 5), 5);
            assert_string_equal(dbm_row_text(row, 6), "7x");
            assert_string_equal(dbm_row_text(row, 7), "2024-02-29");
        }
        if (rc != DBM_OK) fail_msg("run %d: %s", run, dbm_last_error()->message);
    }
}

static void bad_arguments(void **state) {
    (void)state;
    assert_int_equal(dbm_exec(db, "SELECT ?::int8", dbm_uint(UINT64_MAX)), DBM_E_RANGE);
    assert_string_equal(dbm_last_error()->sqlstate, "22003");
    assert_int_equal(dbm_exec(db, "SELECT ?::text", dbm_textn("a\0b", 3)), DBM_E_RANGE);
    assert_non_null(strstr(dbm_last_error()->message, "value 1"));
    assert_int_equal(dbm_exec(db, "SELECT ?::text", "\xff\xfe"), DBM_E_SQL);
    assert_string_equal(dbm_last_error()->sqlstate, "22021");
    assert_int_equal(dbm_exec(db, "SELECT ?::int", "x"), DBM_E_SQL);
    assert_string_equal(dbm_last_error()->sqlstate, "22P02");
    assert_int_equal(dbm_exec(db, "SELECT ?", 1, 2), DBM_E_MISUSE);
}

static void placeholders(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SELECT $2::int - $1::int + $1::int * 10", 3, 5));
        assert_int_equal(dbm_row_int(row, 0), 32);
        OK(dbm_query_one(s, &row, "SELECT '{\"a\":1}'::jsonb ?? ?, '?', $$?$$, E'\\'?' /* ? /* ? */ ? */ -- ?", "a"));
        assert_true(dbm_row_bool(row, 0));
        assert_string_equal(dbm_row_text(row, 1), "?");
        OK(dbm_query_one(s, &row, "SELECT :a::int + :b::int + :a::int", dbm_named("b", dbm_int(1)), dbm_named("a", dbm_int(20))));
        assert_int_equal(dbm_row_int(row, 0), 41);
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}

static void names_and_many_columns(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_rows *rows;
        dbm_row *row;
        OK(dbm_query(s, &rows, "SELECT 1 AS one, 2 AS \"Two\" WHERE false"));
        assert_int_equal(dbm_rows_columns(rows), 2);
        assert_string_equal(dbm_rows_name(rows, 1), "Two");
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        dbm_rows_end(rows);
        assert_int_equal(dbm_query_one(s, &row, "SELECT 1 WHERE false"), DBM_E_NOT_FOUND);
        OK(dbm_query_one(s, &row, "SELECT"));
        assert_int_equal(dbm_row_columns(row), 0);
        OK(dbm_exec(s, "SELECT"));
        OK(dbm_exec(s, ""));
        OK(dbm_exec(s, "-- nothing"));
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}

/* ---- errors -------------------------------------------------------------------------------------------------------------------- */

static void errors_say_what_the_server_says(void **state) {
    static const struct { const char *sql; dbm_status status; const char *sqlstate; dbm_constraint kind; const char *name, *text; } cases[] = {
        { "INSERT INTO con VALUES (1, 1, 1)", DBM_E_CONSTRAINT, "23505", DBM_CONSTRAINT_UNIQUE, "con_pkey", "(a)=(1) already exists" },
        { "INSERT INTO con VALUES (NULL, 2, 2)", DBM_E_CONSTRAINT, "23502", DBM_CONSTRAINT_NOT_NULL, "con.a", "null value in column \"a\"" },
        { "INSERT INTO con VALUES (3, 99, 3)", DBM_E_CONSTRAINT, "23503", DBM_CONSTRAINT_FOREIGN_KEY, "con_b_fkey", "is not present in table" },
        { "INSERT INTO con VALUES (4, 1, -1)", DBM_E_CONSTRAINT, "23514", DBM_CONSTRAINT_CHECK, "positive", "positive" },
        { "INSERT INTO span VALUES ('[2,3]')", DBM_E_CONSTRAINT, "23P01", DBM_CONSTRAINT_EXCLUSION, "span_r_excl", "conflicting key" },
        { "SELEC 1", DBM_E_SQL, "42601", DBM_CONSTRAINT_NONE, "", "at character 1" },
        { "SELECT * FROM nowhere", DBM_E_SQL, "42P01", DBM_CONSTRAINT_NONE, "", "at character 15" },
        { "SELECT 1/0", DBM_E_SQL, "22012", DBM_CONSTRAINT_NONE, "", "division by zero" },
        { "SELECT 300000::int2", DBM_E_RANGE, "22003", DBM_CONSTRAINT_NONE, "", "smallint out of range" },
        { "INSERT INTO span (t) VALUES ('abcd')", DBM_E_RANGE, "22001", DBM_CONSTRAINT_NONE, "", "value too long" },
        { "VACUUM con", DBM_E_SQL, "25001", DBM_CONSTRAINT_NONE, "", ".autocommit" },
        { "COPY con FROM STDIN", DBM_E_UNSUPPORTED, "0A000", DBM_CONSTRAINT_NONE, "", "dbm_native" }
    };
    size_t i;
    int run;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS con, span; CREATE TABLE con (a int PRIMARY KEY, b int REFERENCES con, c int CONSTRAINT positive CHECK (c > 0)); INSERT INTO con VALUES (1, 1, 1); "
                   "CREATE TABLE span (r int4range, t varchar(3), EXCLUDE USING gist (r WITH &&)); INSERT INTO span VALUES ('[1,5]')");
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) for (run = 0; run < 3; run++) {
        dbm_status rc;
        dbm_error_info e;
        DBM_SESSION_RC(mgr, NULL, s, &rc) { dbm_exec(s, cases[i].sql); }
        assert_true(dbm_session_failed(&e));
        if (rc != cases[i].status || strcmp(e.sqlstate, cases[i].sqlstate) != 0 || e.constraint != cases[i].kind || strcmp(e.constraint_name, cases[i].name) != 0 ||
            strstr(e.message, cases[i].text) == NULL || strstr(e.message, cases[i].sql) == NULL || e.retryable) {
            fail_msg("%s: %s [%s] %d %s: %s", cases[i].sql, dbm_status_name(rc), e.sqlstate, (int)e.constraint, e.constraint_name, e.message);
        }
    }
    assert_int_equal(dbm_exec(db, "VACUUM con"), DBM_OK); /* alone */
    assert_int_equal(dbm_exec(db, "CREATE INDEX CONCURRENTLY ON con (c)"), DBM_OK);
}

static void read_only_is_kept(void **state) {
    dbm_status rc;
    dbm_row *row;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS ro; CREATE TABLE ro (a int); CREATE OR REPLACE FUNCTION ro_write() RETURNS int LANGUAGE sql AS 'INSERT INTO ro VALUES (1) RETURNING a'");
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) {
        OK(dbm_query_one(s, &row, "SHOW transaction_read_only"));
        assert_string_equal(dbm_row_text(row, 0), "on");
        dbm_query_one(s, &row, "SELECT ro_write()"); /* what no lexer sees, the server does */
    }
    assert_int_equal(rc, DBM_E_READ_ONLY);
    assert_string_equal(dbm_last_error()->sqlstate, "25006");
    assert_int_equal(raw_number("SELECT count(*) FROM ro"), 0);
}

/* ---- transactions ------------------------------------------------------------------------------------------------------------- */

static void isolation_levels(void **state) {
    static const struct { dbm_isolation level; const char *name; } levels[] = {
        { DBM_READ_UNCOMMITTED, "read uncommitted" }, { DBM_READ_COMMITTED, "read committed" }, { DBM_REPEATABLE_READ, "repeatable read" },
        { DBM_SERIALIZABLE, "serializable" }, { DBM_ISOLATION_DEFAULT, "read committed" } };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        dbm_status rc;
        dbm_row *row;
        DBM_SESSION_OPT(mgr, NULL, s, .isolation = levels[i].level, .status = &rc) {
            OK(dbm_query_one(s, &row, "SHOW transaction_isolation"));
            assert_string_equal(dbm_row_text(row, 0), levels[i].name);
        }
        assert_int_equal(rc, DBM_OK);
    }
}

static void savepoints(void **state) {
    dbm_status rc, inner;
    dbm_rows *rows;
    dbm_row *row;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS sp; CREATE TABLE sp (a int PRIMARY KEY)");
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_exec(s, "INSERT INTO sp VALUES (1)");
        DBM_SAVEPOINT_RC(s, &inner) { dbm_exec(s, "INSERT INTO sp VALUES (2)"); }
        assert_int_equal(inner, DBM_OK);
        DBM_SAVEPOINT_RC(s, &inner) {
            dbm_exec(s, "INSERT INTO sp VALUES (3)");
            DBM_SAVEPOINT(s) { dbm_exec(s, "INSERT INTO sp VALUES (4)"); }
            dbm_exec(s, "INSERT INTO sp VALUES (1)");
        }
        assert_int_equal(inner, DBM_E_CONSTRAINT);
        OK(dbm_clear_error(s));
        DBM_SESSION(mgr, NULL, t) { dbm_exec(t, "INSERT INTO sp VALUES (5)"); }
        DBM_SAVEPOINT(s) { dbm_exec(s, "INSERT INTO sp VALUES (6)"); break; }
        OK(dbm_query(s, &rows, "SELECT a FROM sp ORDER BY a"));
        OK(dbm_rows_next(rows, &row));
        DBM_SAVEPOINT(s) { dbm_exec(s, "INSERT INTO sp VALUES (7)"); break; } /* the rows outside go on */
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_int(row, 0), 2);
        dbm_rows_end(rows);
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    assert_string_equal(raw_text("SELECT string_agg(a::text, ',' ORDER BY a) FROM sp"), "1,2,5");
}

/* Rows that were opened inside of a savepoint end with it when it is undone; nothing else does. */
static void cursors_go_with_their_savepoint(void **state) {
    dbm_status rc;
    dbm_rows *rows;
    dbm_row *row;
    int i;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_SAVEPOINT(s) {
            OK(dbm_query(s, &rows, "SELECT g FROM generate_series(1, 500) g"));
            for (i = 0; i < 10; i++) OK(dbm_rows_next(rows, &row));
            break;
        }
        while ((rc = dbm_rows_next(rows, &row)) == DBM_OK) i++;
        assert_int_equal(rc, DBM_E_ROLLED_BACK);
        assert_int_equal(i, 64); /* what had come */
    }
    assert_int_equal(rc, DBM_E_ROLLED_BACK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_SAVEPOINT(s) { OK(dbm_query(s, &rows, "SELECT g FROM generate_series(1, 500) g")); }
        for (i = 0; dbm_rows_next(rows, &row) == DBM_OK; i++) {}
        assert_int_equal(i, 500);
        dbm_rows_end(rows);
    }
    assert_int_equal(rc, DBM_OK);
}

static void conflicts_are_tried_again(void **state) {
    dbm_status rc = DBM_E_SQL;
    int runs = 0;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS acc; CREATE TABLE acc (n int); INSERT INTO acc VALUES (0)");
    dbm_manager_free(mgr);
    {
        dbm_config config;
        memset(&config, 0, sizeof config);
        config.isolation = DBM_SERIALIZABLE;
        open_with(&config);
    }
    DBM_RETRY(mgr, NULL, s, 3) {
        dbm_row *row;
        int64_t n;
        if (dbm_query_one(s, &row, "SELECT n FROM acc") != DBM_OK) continue;
        n = dbm_row_int(row, 0);
        if (runs++ == 0) (void)raw_text("UPDATE acc SET n = 10");
        rc = dbm_exec(s, "UPDATE acc SET n = ?", n + 1);
        if (runs == 1) {
            assert_int_equal(rc, DBM_E_SERIALIZATION);
            assert_true(dbm_last_error()->retryable);
        }
    }
    assert_int_equal(runs, 2);
    assert_int_equal(raw_number("SELECT n FROM acc"), 11);
}

static void failed_commits_say_so(void **state) {
    dbm_status rc;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS late, late2; CREATE TABLE late (a int PRIMARY KEY, b int CONSTRAINT at_end REFERENCES late DEFERRABLE INITIALLY DEFERRED)");
    DBM_SESSION_RC(mgr, NULL, s, &rc) { dbm_exec(s, "INSERT INTO late VALUES (1, 2)"); }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    assert_string_equal(dbm_last_error()->constraint_name, "at_end");
    assert_int_equal(raw_number("SELECT count(*) FROM late"), 0);
    /* Somebody broke the transaction beside the session: COMMIT is answered by ROLLBACK, and that is no success. */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        PGconn *conn;
        dbm_exec(s, "INSERT INTO late VALUES (1, 1)");
        conn = (PGconn *)dbm_native(s, "postgresql");
        assert_non_null(conn);
        PQclear(PQexec(conn, "SELECT 1/0"));
    }
    assert_int_equal(rc, DBM_E_ROLLED_BACK);
    assert_int_equal(raw_number("SELECT count(*) FROM late"), 0);
    /* Alone, an error at the very end shows too. */
    assert_int_equal(dbm_exec(db, "INSERT INTO late VALUES (1, 2) RETURNING a"), DBM_E_CONSTRAINT);
    DBM_EACH(db, row, "INSERT INTO late VALUES (1, 2) RETURNING a") { (void)row; fail_msg("a row of what was not done"); }
    assert_int_equal(dbm_last_error()->status, DBM_E_CONSTRAINT);
}

static void affected_and_last_id(void **state) {
    dbm_status rc;
    dbm_row *row;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (id int GENERATED BY DEFAULT AS IDENTITY, t text)");
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_last_id(s), 0);
        OK(dbm_exec(s, "INSERT INTO keyed (t) VALUES (?), (?) RETURNING id", "a", "b"));
        assert_int_equal(dbm_last_id(s), 1);
        assert_int_equal(dbm_affected(s), 2);
        OK(dbm_query_one(s, &row, "INSERT INTO keyed (t) VALUES ('c') RETURNING id, t"));
        assert_int_equal(dbm_row_int(row, 0), 3);
        assert_int_equal(dbm_last_id(s), 3);
        OK(dbm_exec(s, "UPDATE keyed SET t = t"));
        assert_int_equal(dbm_affected(s), 3);
        assert_int_equal(dbm_last_id(s), 3);
        OK(dbm_exec(s, "DELETE FROM keyed WHERE id = 99"));
        assert_int_equal(dbm_affected(s), 0);
        OK(dbm_exec(s, "WITH x AS (DELETE FROM keyed WHERE id = 3 RETURNING t) INSERT INTO keyed (id, t) SELECT 30, t FROM x"));
        assert_int_equal(dbm_affected(s), 1);
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_exec(s, "INSERT INTO keyed (t) VALUES ('d')"));
        assert_int_equal(dbm_last_id(s), 0);
    }
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
    assert_non_null(strstr(dbm_last_error()->message, "RETURNING id"));
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------- */

static long resident_kb(void) {
    long pages = 0, size = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%ld %ld", &size, &pages) != 2) fail_msg("statm");
    (void)fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* However many rows there are, and whichever way they come. */
static void rows_stream_in_constant_memory(void **state) {
    dbm_status rc;
    int way;
    (void)state;
    for (way = 0; way < 3; way++) { /* by a cursor; directly, after it had seemed small; alone */
        long before = 0, most = 0;
        int64_t sum = 0, n = 0;
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 2, .status = &rc) {
            const char *sql = way == 0 ? "SELECT g, repeat('x', 200) FROM generate_series(1, ?) g" : way == 1 ? "SELECT g, repeat('y', 200) FROM generate_series(1, ?) g"
                                                                                                       : "SELECT g, repeat('z', 200) FROM generate_series(1, ?) g";
            int run;
            for (run = 0; run < 5 && way != 0; run++) DBM_EACH(s, row, sql, 3) n += dbm_row_int(row, 0);
            n = 0;
            DBM_EACH(s, row, sql, 200000) {
                n++;
                sum += dbm_row_int(row, 0);
                if (n == 5000) before = resident_kb();
                if (n % 20000 == 0 && resident_kb() > most) most = resident_kb();
            }
        }
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
        assert_int_equal(n, 200000);
        assert_int_equal(sum, (int64_t)200000 * 200001 / 2);
        if (!SANITIZED && most - before > 2048) fail_msg("way %d: %ld KB more", way, most - before); /* a sanitizer keeps what is freed */
        assert_true(heap.peak_bytes < 4 * 1024 * 1024);
    }
}

/* Narrow rows, of which a batch takes many, and then wide ones. */
static int64_t grows_size(int64_t g, int64_t wide) { return g > 150 && g <= wide ? 100000 : g % 10; }

static void rows_grow(void) {
    dbm_status rc;
    int way;
    (void)raw_text("DROP TABLE IF EXISTS grows; CREATE TABLE grows (a int)");
    for (way = 0; way < 5; way++) { /* read; with a statement amid some rows, amid all, amid the wide ones; left early */
        int64_t wide = way == 0 ? 3000 : way == 2 ? 1000 : 400, most = way == 0 ? 3100 : 3000, n = 0, inside = 0;
        long before = resident_kb(), peak = 0;
        char sql[200]; /* another one for each: how wide its rows were is remembered */
        (void)snprintf(sql, sizeof sql, "SELECT g, repeat('x', CASE WHEN g BETWEEN 151 AND ? THEN 100000 ELSE g %% 10 END), %d.5::numeric, '\\x01020304'::bytea FROM generate_series(1, ?) g", way);
        heap.peak_bytes = 0;
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            DBM_EACH(s, row, sql, wide, most) {
                const char *text = dbm_row_text(row, 1), *bytes;
                size_t size = strlen(text), four;
                bytes = (const char *)dbm_row_blob(row, 3, &four); /* for the numeric it comes as text, and is kept beside the row */
                if (dbm_row_int(row, 0) != ++n || (int64_t)size != grows_size(n, wide) || (size > 0 && text[size - 1] != 'x')) fail_msg("way %d: row %d", way, (int)n);
                if (n % 100 == 0 && resident_kb() > peak) peak = resident_kb();
                if (way == 4 && n == 160) break;
                if (way == 0 || way == 4 || (way == 1 && n % 70 != 0) || (way == 3 && n < 155)) continue;
                if (dbm_exec(s, "INSERT INTO grows VALUES (?)", n) != DBM_OK) break;
                inside++;
                if (strcmp(dbm_row_text(row, 1), text) != 0 || dbm_row_int(row, 0) != n || four != 4 || memcmp(bytes, "\1\2\3\4", 4) != 0) fail_msg("way %d: row %d has moved", way, (int)n);
            }
            dbm_exec(s, "INSERT INTO grows VALUES (0)");
        }
        if (rc != DBM_OK) fail_msg("way %d, row %d: %s", way, (int)n, dbm_last_error()->message);
        assert_int_equal(n, way == 4 ? 160 : most);
        assert_int_equal(raw_number("SELECT count(*) FROM grows"), inside + 1);
        (void)raw_text("TRUNCATE grows");
        if (way == 0 && heap.peak_bytes >= 2 * 1024 * 1024) fail_msg("%ld bytes", heap.peak_bytes);
        if (way == 0 && !SANITIZED && peak - before > 4096) fail_msg("%ld KB more", peak - before);
    }
}

static void rows_may_grow(void **state) {
    char url[SERVERS_TEXT];
    dbm_config config;
    (void)state;
    rows_grow();
    (void)snprintf(url, sizeof url, "%s?sslmode=require", fresh.url); /* all through libpq */
    memset(&config, 0, sizeof config);
    config.url = url;
    dbm_manager_free(mgr);
    open_with(&config);
    rows_grow();
}

static void left_early_nothing_is_lost(void **state) {
    dbm_status rc;
    int way, run;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS early; CREATE TABLE early (a int)");
    for (way = 0; way < 2; way++) for (run = 0; run < 4; run++) {
        long pid = 0;
        (void)raw_text("TRUNCATE early");
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            pid = backend(s);
            dbm_exec(s, "INSERT INTO early VALUES (1)");
            if (way == 1 && run > 0) { /* make it direct, then large */
                int k;
                for (k = 0; k < 3; k++) DBM_EACH(s, row, "SELECT g, 'w1' FROM generate_series(1, ?) g", 2) (void)dbm_row_int(row, 0);
            }
            DBM_EACH(s, row, "SELECT g, 'w1' FROM generate_series(1, ?) g", 100000) {
                if (dbm_row_int(row, 0) == 1) break;
            }
            DBM_EACH(s, row, "INSERT INTO early SELECT g FROM generate_series(1, 1000) g RETURNING a") { (void)row; break; }
            dbm_exec(s, "INSERT INTO early VALUES (2)");
            assert_int_equal(backend(s), pid);
        }
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
        assert_int_equal(raw_number("SELECT count(*) FROM early"), 1002);
    }
    /* However many rows are left, by a cursor, and alone through a statement that the server has. */
    for (run = 0; run < 4; run++) {
        struct timespec a, b;
        (void)raw_text("TRUNCATE early");
        (void)clock_gettime(CLOCK_MONOTONIC, &a);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_exec(s, "INSERT INTO early VALUES (1)");
            DBM_EACH(s, row, "SELECT generate_series(1, ?)", 10000000) { (void)row; break; }
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
        assert_int_equal(raw_number("SELECT count(*) FROM early"), 1);
        if (b.tv_sec - a.tv_sec > 2) fail_msg("leaving rows early took more than two seconds"); /* reading them all takes longer; 100 ms is what it should be */
    }
    /* Alone: a read is cut short by a cancel, and the connection goes on. */
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
        long pid = backend(s);
        for (run = 0; run < 3; run++) {
            DBM_EACH(s, row, "SELECT generate_series(1, 50000000)") { (void)row; break; }
            assert_int_equal(backend(s), pid);
        }
        (void)raw_text("TRUNCATE early");
        DBM_EACH(s, row, "INSERT INTO early SELECT g FROM generate_series(1, 3000) g RETURNING a") { (void)row; break; }
        assert_int_equal(raw_number("SELECT count(*) FROM early"), 3000);
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}

/* ---- statements that are sent without waiting -------------------------------------------------------------------------------------- */

#if defined(DBM__PG_NO_PIPELINE) && !defined(DBM_TEST_SPLIT) /* where the rooms stand apart, the adapter is the usual one */
#  define PIPELINED 0
#else
#  define PIPELINED 1
#endif
/* The failure that the last block ended with: of this statement, sent from this line. */
static void sent_as(dbm_status status, const char *sql, int line) {
    dbm_error_info e;
    char site[64];
    assert_true(dbm_session_failed(&e));
    (void)snprintf(site, sizeof site, "test_postgresql.c:%d", line);
    if (e.status != status || strstr(e.site, site) == NULL || strstr(e.message, sql) == NULL) fail_msg("%s %s at %s, expected %s of %s", dbm_status_name(e.status), e.message, e.site, sql, site);
}

static void sends_make(const char *more) {
    char sql[400];
    (void)snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS sends; CREATE TABLE sends (a int PRIMARY KEY, b text)%s%s", more[0] != 0 ? "; " : "", more);
    (void)raw_text(sql);
}

static void sends_are_done_in_order(void **state) {
    dbm_status rc;
    dbm_row *row;
    int i, run, cache;
    (void)state;
    sends_make("CREATE TABLE serials (id serial PRIMARY KEY, a int)");
    for (cache = 1; cache >= 0; cache--) {
        if (cache == 0) {
            dbm_config config;
            memset(&config, 0, sizeof config);
            config.statement_cache = -1;
            assert_int_equal(close_db(NULL), 0);
            open_with(&config);
        }
        for (run = 0; run < 2; run++) {
            (void)raw_text("TRUNCATE sends");
            DBM_SESSION_RC(mgr, NULL, s, &rc) {
                long pid = backend(s);
                for (i = 0; i < 1000; i++) OK(dbm_send(s, "INSERT INTO sends VALUES (?, ?)", i, i % 3 == 0 ? "three" : "other")); /* more than are unanswered at a time */
                OK(dbm_query_one(s, &row, "SELECT count(*), max(a) FROM sends"));
                assert_int_equal(dbm_row_int(row, 0), 1000);
                assert_int_equal(dbm_row_int(row, 1), 999);
                OK(dbm_send(s, "UPDATE sends SET a = a + 10000 WHERE b = ?", "three"));
                assert_int_equal(dbm_affected(s), 334);
                OK(dbm_send(s, "INSERT INTO serials (a) VALUES (?) RETURNING id", i));
                assert_true(dbm_last_id(s) > 0);
                /* In a loop whose rows come by a cursor, and in one whose rows are put aside. */
                DBM_EACH(s, r, "SELECT a FROM sends WHERE a < ?", 5000) OK(dbm_send(s, "DELETE FROM sends WHERE a = ?", dbm_row_int(r, 0)));
                OK(dbm_query_one(s, &row, "SELECT count(*) FROM sends"));
                assert_int_equal(dbm_row_int(row, 0), 334);
                OK(dbm_send(s, "SELECT repeat('x', 1000) FROM generate_series(1, 5000)")); /* rows are dropped */
                OK(dbm_commit(s));
                OK(dbm_send(s, "DELETE FROM sends WHERE a = ?", 10003));
                assert_int_equal(backend(s), pid);
            }
            if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
            assert_int_equal(raw_number("SELECT count(*) FROM sends"), 333);
            assert_int_equal(raw_number("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()"), 0);
        }
    }
}

static void sends_fail_as_themselves(void **state) {
    dbm_status rc;
    dbm_error_info e;
    dbm_row *row;
    long pid = 0;
    int way, i, line = 0;
    (void)state;
    sends_make("");
    OK(dbm_exec(db, "INSERT INTO sends VALUES (-1, 'there')"));
    for (way = 0; way < 10; way++) {
        dbm_status seen = DBM_E_CONSTRAINT;
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            int before = way % 3 == 0 ? 0 : way % 3 == 1 ? 5 : 700;
            pid = backend(s);
            for (i = 0; i < before; i++) OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'before')", i));
            OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'twice')", -1)); line = __LINE__;
            for (i = 0; i < before && dbm_send(s, "INSERT INTO sends VALUES (?, 'behind')", i + 1000) == DBM_OK; i++) {}
            switch (way) {
            case 0: case 1: case 2: seen = dbm_exec(s, "INSERT INTO sends VALUES (5000, 'waits')"); break;
            case 3: case 4: seen = dbm_query_one(s, &row, "SELECT 1"); break;
            case 5: DBM_EACH(s, r, "SELECT a FROM sends") { (void)r; seen = DBM_OK; } break;
            case 6: case 7: seen = dbm_commit(s); break;
            default: break; /* the end of the block */
            }
            assert_int_equal(seen, DBM_E_CONSTRAINT);
        }
        assert_int_equal(rc, DBM_E_CONSTRAINT);
        sent_as(DBM_E_CONSTRAINT, "'twice'", line);
        assert_int_equal(raw_number("SELECT count(*) FROM sends"), 1);
        DBM_SESSION(mgr, NULL, s) assert_int_equal(backend(s), pid); /* the connection is as good as before */
    }
    /* A statement that can't even be parsed, alone, and as one that the server is to keep. */
    for (i = 0; i < 3; i++) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) { OK(dbm_send(s, "INSERT INTO nowhere VALUES (?)", 1)); line = __LINE__; }
        assert_int_equal(rc, DBM_E_SQL);
        sent_as(DBM_E_SQL, "nowhere", line);
    }
    /* What a savepoint undoes is no matter of the session's. */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_send(s, "INSERT INTO sends VALUES (1, 'outer')"));
        DBM_SAVEPOINT(s) {
            OK(dbm_send(s, "INSERT INTO sends VALUES (2, 'inner')"));
            OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'twice')", 1));
            (void)dbm_send(s, "INSERT INTO sends VALUES (3, 'inner')"); /* without a pipeline it hears of the one before */
        }
        OK(dbm_clear_error(s));
        DBM_SAVEPOINT(s) OK(dbm_send(s, "INSERT INTO sends VALUES (4, 'inner')"));
        OK(dbm_send(s, "INSERT INTO sends VALUES (5, 'outer')"));
    }
    assert_int_equal(rc, DBM_OK);
    assert_string_equal(raw_text("SELECT string_agg(a::text, ' ' ORDER BY a) FROM sends"), "-1 1 4 5");
    /* Without a transaction each stands alone, but what waits comes after all of them. */
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
        for (i = 10; i < 400; i++) OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'alone')", i));
        OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'twice')", 1)); line = __LINE__;
        assert_int_equal(dbm_exec(s, "INSERT INTO sends VALUES (5000, 'waits')"), DBM_E_CONSTRAINT);
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    sent_as(DBM_E_CONSTRAINT, "'twice'", line);
    assert_int_equal(raw_number("SELECT count(*) FROM sends"), 4 + 390);
    /* What fails at its own commit has failed, sent or run, and what is put in front of it is no part of that. */
    (void)raw_text("DROP TABLE IF EXISTS alone; CREATE TABLE alone (a int REFERENCES sends DEFERRABLE INITIALLY DEFERRED)");
    for (i = 0; i < 5; i++) {
        assert_int_equal(dbm_exec(db, "INSERT INTO alone VALUES (?)", -7), DBM_E_CONSTRAINT);
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
            OK(dbm_send(s, "INSERT INTO alone VALUES (?)", 1));
            OK(dbm_send(s, "INSERT INTO alone VALUES (?)", -8)); line = __LINE__;
            if (i > 2) (void)dbm_send(s, "INSERT INTO alone VALUES (?)", 4);
        }
        assert_int_equal(rc, DBM_E_CONSTRAINT);
        sent_as(DBM_E_CONSTRAINT, "INTO alone", line);
        OK(dbm_exec(db, "INSERT INTO alone VALUES (?)", 5));
    }
    assert_int_equal(raw_number("SELECT count(*) FROM alone WHERE a IN (1, 5)"), 10);
    assert_int_equal(raw_number("SELECT count(*) FROM alone WHERE a < 0"), 0);
    (void)raw_text("DROP TABLE alone");
    /* A plan that is no longer good says so, and is made anew. */
    for (i = 0; i < 3; i++) DBM_SESSION(mgr, NULL, s) OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'plan') RETURNING *", 6000 + i));
    (void)raw_text("ALTER TABLE sends ADD COLUMN c int");
    DBM_SESSION_RC(mgr, NULL, s, &rc) OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'plan') RETURNING *", 6010));
    assert_true(PIPELINED ? rc != DBM_OK && dbm_session_failed(&e) && e.retryable : rc == DBM_OK);
    (void)raw_text("DELETE FROM sends WHERE a = 6010");
    DBM_SESSION_RC(mgr, NULL, s, &rc) OK(dbm_send(s, "INSERT INTO sends VALUES (?, 'plan') RETURNING *", 6010));
    assert_int_equal(rc, DBM_OK);
    /* The server dies behind them. */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_send(s, "INSERT INTO sends VALUES (7000, 'dies')"));
        OK(dbm_send(s, "SELECT pg_terminate_backend(pg_backend_pid())"));
    }
    assert_true(rc == DBM_E_LOST || rc == DBM_E_IN_DOUBT);
    assert_int_equal(raw_number("SELECT count(*) FROM sends WHERE a = 7000"), 0);
    /* A deadline ends what runs, and the connection goes on. */
    DBM_SESSION(mgr, NULL, s) pid = backend(s);
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 200, .status = &rc) { OK(dbm_send(s, "SELECT pg_sleep(30)")); line = __LINE__; }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    DBM_SESSION(mgr, NULL, s) assert_int_equal(backend(s), pid);
}

/* More than all buffers between here and the server hold, both ways: each reads while it writes. */
static void sends_do_not_lock_up(void **state) {
    enum { SIZE = 3 << 20 };
    char *big = (char *)malloc(SIZE + 1);
    struct rusage before, after;
    dbm_status rc;
    int i, way;
    (void)state;
    assert_non_null(big);
    sends_make("");
    memset(big, 'b', SIZE);
    big[SIZE] = '\0';
    (void)getrusage(RUSAGE_SELF, &before);
    for (way = 0; way < 2; way++) DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 1, .status = &rc) {
        for (i = 0; i < 50; i++) OK(dbm_send(s, "SELECT ?::text", big));
        for (i = 0; i < (way == 0 && PIPELINED ? 100000 : 2000); i++) OK(dbm_send(s, "SELECT repeat(?::text, ?)", big + SIZE - 300, i % 5));
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    (void)getrusage(RUSAGE_SELF, &after);
    if (!SANITIZED && after.ru_maxrss - before.ru_maxrss > 65536) fail_msg("%ld KB were kept", after.ru_maxrss - before.ru_maxrss);
    DBM_SESSION_RC(mgr, NULL, s, &rc) for (i = 0; i < 12; i++) OK(dbm_send(s, "INSERT INTO sends VALUES (?, ?) RETURNING b", i, big));
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(raw_number("SELECT sum(length(b)) / 1024 / 1024 FROM sends"), 36);
    free(big);
}

#if !defined(DBM__PG_NO_PIPELINE)
/* ---- queued statements with rows ------------------------------------------------------------------------------------------------ */

/* A connection as src/async/ drives one, and statements that it knows. */
typedef struct replies { dbm_connection c; dbm_op op; dbm_prepared known[8]; const char *texts[8]; } replies;

static void replies_open(replies *q, dbm_database *of) {
    memset(q, 0, sizeof *q);
    dbm__connection_alone(&q->c, of);
    dbm__op_init(&q->op, DBM_OP_CONNECT, dbm__now(of->host) + 5000000);
    assert_int_equal(dbm__connection_made_alone(&q->c, dbm__op_run(&q->c, &q->op)), DBM_OK);
    assert_true((of->adapter->flags & DBM_ADAPTER_REPLIES) != 0);
}
static dbm_op *replies_op(replies *q, dbm_op_kind kind) {
    dbm__op_init(&q->op, kind, dbm__now(q->c.db->host) + 10000000);
    q->op.row_buffer = 100000;
    return &q->op;
}
static dbm_prepared *replies_prepared(replies *q, const char *sql, bool writes) {
    int i = 0;
    while (q->texts[i] != NULL && strcmp(q->texts[i], sql) != 0) i++;
    if (q->texts[i] == NULL) {
        dbm_op *op = replies_op(q, DBM_OP_PREPARE);
        q->texts[i] = sql;
        q->known[i].sql = op->sql = sql;
        q->known[i].sql_size = op->sql_size = strlen(sql);
        q->known[i].writes = writes;
        q->known[i].returns_rows = !writes || strstr(sql, "RETURNING") != NULL;
        op->prepared = &q->known[i];
        assert_int_equal(dbm__op_run(&q->c, op), DBM_OK);
    }
    return &q->known[i];
}
static dbm_status replies_run(replies *q, const char *sql, bool writes, bool reply, bool alone, bool one, const dbm_value *v, int count) {
    dbm_prepared *p = replies_prepared(q, sql, writes);
    dbm_op *op = replies_op(q, DBM_OP_EXECUTE);
    op->sql = p->sql;
    op->sql_size = p->sql_size;
    op->prepared = p;
    op->values = v;
    op->value_count = count;
    op->no_wait = op->reply = reply;
    op->alone = alone;
    op->one_row = one;
    return dbm__op_run(&q->c, op);
}
static void replies_queue(replies *q, const char *sql, bool alone, int64_t n) {
    dbm_value v = dbm_int(n);
    assert_int_equal(replies_run(q, sql, strncmp(sql, "SELECT", 6) != 0, true, alone, false, &v, strstr(sql, "$1") != NULL), DBM_OK);
    assert_true(q->op.queued);
}
static dbm_status replies_next(replies *q) { return dbm__op_run(&q->c, replies_op(q, DBM_OP_RECEIVE)); }
static int64_t replies_int(replies *q, dbm_op *op, int column) {
    dbm_value v;
    assert_int_equal(q->c.db->adapter->column(&q->c, op, column, &v), DBM_OK);
    assert_int_equal(v.type, DBM_TYPE_INT);
    return v.as.integer;
}
static void replies_finish(replies *q, dbm_op *op) {
    op->kind = DBM_OP_FINISH;
    assert_int_equal(dbm__op_run(&q->c, op), DBM_OK);
}
/* The next one has a single row with this number. */
#define REPLY_IS(q, n) do { \
        if (replies_next(q) != DBM_OK) fail_msg("line %d: %s", __LINE__, dbm_last_error()->message); \
        assert_true((q)->op.result != NULL && (q)->op.row); \
        assert_int_equal(replies_int(q, &(q)->op, 0), n); \
        replies_finish(q, &(q)->op); \
    } while (0)
static void replies_close(replies *q) {
    for (int i = 0; i < 8 && q->texts[i] != NULL; i++) {
        dbm_op *op = replies_op(q, DBM_OP_UNPREPARE);
        op->prepared = &q->known[i];
        (void)dbm__op_run(&q->c, op);
    }
    dbm__connection_close(&q->c, q->c.broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
}

static void replies_come_in_order(void **state) {
    enum { N = 12, SIZE = 100000 };
    static const char *const pair = "SELECT $1::int AS n, 'text ' || $1::int AS t, $1::numeric / 4 AS d", *const many = "SELECT i, repeat('x', 100) FROM generate_series(1, $1::int) i";
    char *big = (char *)malloc(SIZE + 1);
    (void)state;
    memset(big, 'b', SIZE);
    big[SIZE] = 0;
    (void)raw_text("DROP TABLE IF EXISTS queued; CREATE TABLE queued (id serial PRIMARY KEY, n int CHECK (n <> 7))");
    for (int way = 0; way < 4; way++) { /* by the short way and through TLS; with and without a cache */
        dbm_config config;
        replies q;
        dbm_op open[N];
        dbm_value v[2];
        memset(&config, 0, sizeof config);
        if (way & 1) config.tls = DBM_TLS_REQUIRE;
        if (way & 2) config.statement_cache = -1;
        reopen(&config);
        replies_open(&q, db);
        assert_int_equal(replies_next(&q), DBM_DONE);
        for (int run = 0; run < 4; run++) { /* unknown, prepared, known */
            bool alone = run % 2 == 0;
            for (int i = 0; i < N; i++) replies_queue(&q, i == 5 ? many : pair, alone, i == 5 && run > 1 ? 0 : i == 5 ? 70 : i);
            for (int i = 0; i < N; i++) { /* all open at a time */
                assert_int_equal(replies_next(&q), DBM_OK);
                open[i] = q.op;
                assert_int_equal(q.op.columns, i == 5 ? 2 : 3);
                assert_int_equal(q.op.affected, -1);
            }
            assert_int_equal(replies_next(&q), DBM_DONE);
            for (int i = N - 1; i >= 0; i--) {
                const dbm_adapter *a = db->adapter;
                char text[32];
                int rows = 0;
                assert_string_equal(a->column_name(&q.c, &open[i], 0), i == 5 ? "i" : "n");
                if (i == 5) {
                    for (dbm_status st = open[i].row ? DBM_OK : DBM_DONE; st == DBM_OK; st = dbm__op_run(&q.c, &open[i])) {
                        assert_int_equal(replies_int(&q, &open[i], 0), ++rows);
                        open[i].kind = DBM_OP_FETCH;
                    }
                    assert_int_equal(rows, run > 1 ? 0 : 70);
                } else {
                    assert_true(open[i].row);
                    assert_int_equal(replies_int(&q, &open[i], 0), i);
                    (void)snprintf(text, sizeof text, "text %d", i);
                    assert_int_equal(a->column(&q.c, &open[i], 1, v), DBM_OK);
                    assert_string_equal(v->as.text.data, text);
                    assert_int_equal(a->column(&q.c, &open[i], 2, v), DBM_OK);
                    assert_int_equal(v->type, DBM_TYPE_DECIMAL);
                }
                replies_finish(&q, &open[i]);
            }
            /* A failure concerns one alone, or those behind it. */
            for (int i = 0; i < 5; i++) replies_queue(&q, "SELECT 10 / $1::int", alone, i - 2);
            REPLY_IS(&q, -5);
            REPLY_IS(&q, -10);
            assert_int_equal(replies_next(&q), DBM_E_SQL);
            assert_string_equal(dbm_last_error()->sqlstate, "22012");
            assert_false(q.op.undone && q.c.broken);
            if (alone) {
                REPLY_IS(&q, 10);
                REPLY_IS(&q, 5);
            } else {
                for (int i = 0; i < 2; i++) {
                    assert_int_equal(replies_next(&q), DBM_E_ROLLED_BACK);
                    assert_true(q.op.undone);
                }
            }
            assert_int_equal(replies_next(&q), DBM_DONE);
            /* What writes always stands alone outside of a transaction. */
            replies_queue(&q, "INSERT INTO queued (n) VALUES ($1) RETURNING id", false, 1);
            replies_queue(&q, "INSERT INTO queued (n) VALUES ($1)", false, 7);
            replies_queue(&q, "INSERT INTO queued (n) VALUES ($1)", false, 2);
            assert_int_equal(replies_next(&q), DBM_OK);
            assert_true(q.op.row && q.op.settled && q.op.last_id > 0 && q.op.last_id == replies_int(&q, &q.op, 0));
            assert_int_equal(q.op.affected, 1);
            replies_finish(&q, &q.op);
            assert_int_equal(replies_next(&q), DBM_E_CONSTRAINT);
            assert_int_equal(replies_next(&q), DBM_OK);
            assert_int_equal(q.op.affected, 1);
            assert_int_equal(q.op.last_id, DBM_LAST_ID_UNKNOWN);
            assert_null(q.op.result);
            /* In a transaction; what waits comes behind them, and does not take their place. */
            assert_int_equal(dbm__op_run(&q.c, replies_op(&q, DBM_OP_BEGIN)), DBM_OK);
            replies_queue(&q, pair, false, 1);
            replies_queue(&q, "INSERT INTO queued (n) VALUES ($1)", false, 3);
            assert_int_equal(replies_run(&q, "SELECT 10 / $1::int", false, false, false, false, (v[0] = dbm_int(3), v), 1), DBM_OK);
            assert_int_equal(replies_int(&q, &q.op, 0), 3);
            replies_finish(&q, &q.op);
            REPLY_IS(&q, 1);
            assert_int_equal(replies_next(&q), DBM_OK);
            replies_queue(&q, "SELECT 10 / $1::int", false, 0);
            replies_queue(&q, pair, false, 1);
            assert_int_equal(replies_next(&q), DBM_E_SQL);
            assert_false(q.op.undone);
            assert_int_equal(replies_next(&q), DBM_E_ROLLED_BACK);
            assert_false(q.op.undone);
            assert_int_equal(dbm__op_run(&q.c, replies_op(&q, DBM_OP_ROLLBACK)), DBM_OK);
            assert_int_equal(raw_number("SELECT count(*) FROM queued WHERE n = 3"), 0);
            /* Nobody receives them: the first failure is told. */
            for (int i = 0; i < 3; i++) replies_queue(&q, "SELECT 10 / $1::int", true, i);
            assert_int_equal(dbm__op_run(&q.c, replies_op(&q, DBM_OP_SYNC)), DBM_E_SQL);
            assert_int_equal(replies_next(&q), DBM_DONE);
            /* Only the first row; more than may be kept. */
            v[0] = dbm_int(5000);
            assert_int_equal(replies_run(&q, many, false, true, true, true, v, 1), DBM_OK);
            replies_queue(&q, many, true, 5000);
            replies_queue(&q, pair, true, 9);
            assert_int_equal(replies_next(&q), DBM_OK);
            assert_int_equal(replies_int(&q, &q.op, 0), 1);
            q.op.kind = DBM_OP_FETCH;
            assert_int_equal(dbm__op_run(&q.c, &q.op), DBM_DONE);
            replies_finish(&q, &q.op);
            assert_int_equal(replies_next(&q), DBM_E_LIMIT);
            REPLY_IS(&q, 9);
        }
        /* Another result by the same statement: it is told to be done again. */
        if ((way & 2) == 0) {
            replies_queue(&q, "SELECT * FROM queued WHERE n = $1", true, 2);
            assert_int_equal(dbm__op_run(&q.c, replies_op(&q, DBM_OP_SYNC)), DBM_OK);
            for (int i = 0; i < 2; i++) replies_queue(&q, "SELECT * FROM queued WHERE n = $1", true, 2);
            assert_int_equal(dbm__op_run(&q.c, replies_op(&q, DBM_OP_SYNC)), DBM_OK);
            (void)raw_text("ALTER TABLE queued ADD COLUMN more int");
            replies_queue(&q, "SELECT * FROM queued WHERE n = $1", true, 2);
            assert_int_equal(replies_next(&q), DBM_E_SQL);
            assert_true(q.op.undone);
            replies_queue(&q, "SELECT * FROM queued WHERE n = $1", true, 2);
            assert_int_equal(replies_next(&q), DBM_OK);
            assert_int_equal(q.op.columns, 3);
            replies_finish(&q, &q.op);
            (void)raw_text("ALTER TABLE queued DROP COLUMN more");
        }
        /* Large both ways at once, and more of them than may be unanswered. */
        for (int i = 0; i < 600; i++) {
            v[0] = dbm_textn(big, i % 2 == 0 ? 60000 : 10);
            assert_int_equal(replies_run(&q, "SELECT $1::text", false, true, i % 3 != 0, false, v, 1), DBM_OK);
        }
        for (int i = 0; i < 600; i++) {
            assert_int_equal(replies_next(&q), DBM_OK);
            assert_int_equal(db->adapter->column(&q.c, &q.op, 0, v), DBM_OK);
            assert_int_equal(v->as.text.size, i % 2 == 0 ? 60000 : 10);
            assert_memory_equal(v->as.text.data, big, v->as.text.size);
            replies_finish(&q, &q.op);
        }
        /* Some are under way, some lie here when it ends; or it dies. */
        for (int i = 0; i < 6; i++) replies_queue(&q, pair, i < 3, i);
        REPLY_IS(&q, 0);
        if (way & 2) {
            assert_int_equal(dbm__op_run(&q.c, replies_op(&q, DBM_OP_SYNC)), DBM_OK);
            replies_queue(&q, "SELECT pg_terminate_backend(pg_backend_pid())", true, 0);
            replies_queue(&q, pair, true, 0);
            (void)replies_next(&q);
            (void)replies_next(&q);
            assert_true(q.c.broken);
        }
        replies_close(&q);
    }
    free(big);
}
#endif

static void statements_inside_of_loops(void **state) {
    dbm_status rc;
    int way;
    (void)state;
    for (way = 0; way < 4; way++) {
        int outer = 0, inner_rows = 0;
        (void)raw_text("DROP TABLE IF EXISTS loops; CREATE TABLE loops (a int PRIMARY KEY, b int); INSERT INTO loops SELECT g, 0 FROM generate_series(1, 200) g");
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 3, .status = &rc) {
            int run;
            for (run = 0; run < 4 && way > 0; run++) DBM_EACH(s, row, "SELECT a FROM loops WHERE a <= ? ORDER BY a", 2) (void)dbm_row_int(row, 0);
            DBM_EACH(s, row, "SELECT a FROM loops WHERE a <= ? ORDER BY a", 200) {
                int64_t a = dbm_row_int(row, 0);
                outer++;
                dbm_exec(s, "UPDATE loops SET b = b + ? WHERE a = ?", a, a);
                dbm_exec(s, "INSERT INTO loops VALUES (?, 0)", a + 1000);
                if (outer % 50 == 0) {
                    DBM_EACH(s, more, "SELECT a FROM loops WHERE a <= ? ORDER BY a", 100) { /* the same statement, once more */
                        inner_rows++;
                        if (dbm_row_int(more, 0) == 90) break;
                    }
                }
                assert_int_equal(dbm_row_int(row, 0), a);
            }
        }
        if (rc != DBM_OK) fail_msg("way %d: %s", way, dbm_last_error()->message);
        assert_int_equal(outer, 200);
        assert_int_equal(inner_rows, 4 * 90);
        assert_int_equal(raw_number("SELECT sum(b) FROM loops"), 200 * 201 / 2);
        assert_int_equal(raw_number("SELECT count(*) FROM loops"), 400);
    }
}

static void too_many_rows_to_keep(void **state) {
    dbm_config config;
    dbm_status rc;
    dbm_row *inner;
    (void)state;
    dbm_manager_free(mgr);
    memset(&config, 0, sizeof config);
    config.row_buffer = 10000;
    open_with(&config);
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
        DBM_EACH(s, row, "SELECT repeat('x', 100) FROM generate_series(1, 1000)") { (void)row; dbm_query_one(s, &inner, "SELECT 1"); }
    }
    assert_int_equal(rc, DBM_E_LIMIT);
    assert_non_null(strstr(dbm_last_error()->message, "row_buffer (10000 bytes)"));
    assert_int_equal(dbm_exec(db, "INSERT INTO early SELECT g FROM generate_series(1, 1000) g RETURNING a, repeat('x', 100)"), DBM_E_LIMIT);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* by a cursor there is nothing to keep */
        DBM_EACH(s, row, "SELECT repeat('x', 100) FROM generate_series(1, 1000)") { (void)row; dbm_query_one(s, &inner, "SELECT 1"); }
    }
    assert_int_equal(rc, DBM_OK);
}

static void interleaved_rows(void **state) {
    dbm_status rc;
    int way;
    (void)state;
    for (way = 0; way < 2; way++) DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 1, .status = &rc) {
        dbm_rows *rows[4];
        dbm_row *row;
        int i, n;
        for (i = 0; i < 4; i++) OK(dbm_query(s, &rows[i], "SELECT g * ? FROM generate_series(1, 300) g", i + 1));
        for (n = 1; n <= 300; n++) for (i = 0; i < 4; i++) {
            OK(dbm_rows_next(rows[i], &row));
            assert_int_equal(dbm_row_int(row, 0), n * (i + 1));
        }
        for (i = 0; i < 4; i++) {
            assert_int_equal(dbm_rows_next(rows[i], &row), DBM_DONE);
            dbm_rows_end(rows[i]);
        }
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}

static void large_values(void **state) {
    dbm_status rc;
    size_t size = 30u << 20, i;
    char *text = (char *)malloc(size + 1);
    (void)state;
    for (i = 0; i < size; i++) text[i] = (char)('a' + i % 26);
    text[size] = 0;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_row *row;
        size_t got;
        int run;
        for (run = 0; run < 3; run++) {
            OK(dbm_query_one(s, &row, "SELECT ?::bytea, 1", dbm_blob(text, size)));
            assert_memory_equal(dbm_row_blob(row, 0, &got), text, size);
            assert_int_equal(got, size);
        }
        OK(dbm_query_one(s, &row, "SELECT length(?::text)", text));
        assert_int_equal(dbm_row_int(row, 0), size);
        for (run = 0; run < 2; run++) DBM_EACH(s, big, "SELECT repeat('x', 1000000) FROM generate_series(1, 20)") (void)dbm_row_blob(big, 0, &got);
        assert_int_equal(got, 1000000);
    }
    free(text);
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}

/* ---- prepared statements -------------------------------------------------------------------------------------------------------- */

static void schemas_change_under_statements(void **state) {
    dbm_status rc;
    dbm_row *row;
    int i;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS shape; CREATE TABLE shape (a int); INSERT INTO shape VALUES (1)");
    DBM_SESSION(mgr, NULL, s) for (i = 0; i < 4; i++) OK(dbm_query_one(s, &row, "SELECT * FROM shape"));
    (void)raw_text("ALTER TABLE shape ALTER a TYPE text USING 't' || a");
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* the first statement of a transaction: nobody notices */
        OK(dbm_query_one(s, &row, "SELECT * FROM shape"));
        assert_string_equal(dbm_row_text(row, 0), "t1");
    }
    assert_int_equal(rc, DBM_OK);
    for (i = 0; i < 4; i++) DBM_SESSION(mgr, NULL, s) OK(dbm_query_one(s, &row, "SELECT * FROM shape"));
    (void)raw_text("ALTER TABLE shape ADD b int DEFAULT 7");
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a savepoint rides along */
        DBM_SAVEPOINT(s) {
            OK(dbm_query_one(s, &row, "SELECT * FROM shape"));
            assert_int_equal(dbm_row_columns(row), 2);
        }
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true) for (i = 0; i < 4; i++) OK(dbm_query_one(s, &row, "SELECT * FROM shape"));
    (void)raw_text("ALTER TABLE shape DROP b");
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
        OK(dbm_query_one(s, &row, "SELECT * FROM shape"));
        assert_int_equal(dbm_row_columns(row), 1);
        for (i = 0; i < 4; i++) OK(dbm_query_one(s, &row, "SELECT * FROM shape"));
    }
    assert_int_equal(rc, DBM_OK);
    (void)raw_text("ALTER TABLE shape ADD c int DEFAULT 9");
    i = 0;
    DBM_RETRY(mgr, NULL, s, 2) { /* in the midst of one it fails, can be tried again, and then works */
        i++;
        dbm_exec(s, "INSERT INTO shape (a) VALUES ('x')");
        rc = dbm_query_one(s, &row, "SELECT * FROM shape");
        if (i == 1) {
            assert_int_equal(rc, DBM_E_SQL);
            assert_string_equal(dbm_last_error()->sqlstate, "0A000");
            assert_true(dbm_last_error()->retryable);
        } else {
            assert_int_equal(dbm_row_columns(row), 2);
        }
    }
    assert_int_equal(i, 2);
    assert_int_equal(raw_number("SELECT count(*) FROM shape"), 2);
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) { /* somebody dropped them all */
        for (i = 0; i < 3; i++) OK(dbm_query_one(s, &row, "SELECT 'deallocated'"));
        OK(dbm_exec(s, "DEALLOCATE ALL"));
        for (i = 0; i < 3; i++) OK(dbm_query_one(s, &row, "SELECT 'deallocated'"));
        OK(dbm_exec(s, "SELECT pg_catalog.set_config('a.b', 'c', false)"));
    }
    assert_int_equal(rc, DBM_OK);
}

/* ---- the short way -------------------------------------------------------------------------------------------------------------- */

/* Statements that the server has, in every shape, often enough that each goes past libpq; and whatever comes between them. */
static void the_short_way(void **state) {
    static char wide[30001];
    dbm_status rc;
    dbm_row *row;
    int run, i;
    (void)state;
    memset(wide, 'w', 30000);
    (void)raw_text("DROP TABLE IF EXISTS way; CREATE TABLE way (a int, t text, b bytea); CREATE OR REPLACE FUNCTION says(int) RETURNS int LANGUAGE plpgsql AS "
                   "$$ BEGIN RAISE NOTICE 'it says %', $1; RETURN $1; END $$");
    for (run = 0; run < 6; run++) {
        char blob[3] = { 0, (char)run, 0 };
        OK(dbm_exec(db, "DELETE FROM way"));
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            const char *kept = NULL;
            int64_t sum = 0, n = 0;
            for (i = 0; i < 5; i++) {
                OK(dbm_exec(s, "INSERT INTO way VALUES (?, ?, ?)", i, i == 3 ? NULL : i == 4 ? wide : i == 2 ? "" : "text", dbm_blob(blob, sizeof blob)));
                assert_int_equal(dbm_affected(s), 1);
            }
            DBM_EACH(s, r, "SELECT a, t, b FROM way ORDER BY a LIMIT ?", 10) { /* a row in hand stays while others are read, and while it is written */
                size_t size;
                const void *bytes = dbm_row_blob(r, 2, &size);
                assert_int_equal(size, 3);
                assert_memory_equal(bytes, blob, 3);
                kept = dbm_row_is_null(r, 1) ? NULL : dbm_row_text(r, 1);
                DBM_EACH(s, r2, "SELECT a FROM way WHERE a <= ? ORDER BY a", dbm_row_int(r, 0)) {
                    OK(dbm_exec(s, "UPDATE way SET a = a WHERE a = ?", dbm_row_int(r2, 0)));
                    sum += dbm_row_int(r2, 0);
                    n++;
                }
                if (kept == NULL) assert_int_equal(dbm_row_int(r, 0), 3);
                else assert_string_equal(kept, dbm_row_int(r, 0) == 4 ? wide : dbm_row_int(r, 0) == 2 ? "" : "text");
                assert_string_equal(dbm_row_name(r, 1), "t");
            }
            assert_int_equal(n, 15);
            assert_int_equal(sum, 20);
            assert_int_equal(dbm_query_one(s, &row, "SELECT t FROM way WHERE a = ?", 99), DBM_E_NOT_FOUND);
            DBM_SAVEPOINT(s) { /* what failed in it is no matter of the transaction's */
                assert_int_equal(dbm_query_one(s, &row, "SELECT 10 / ?::int", 0), DBM_E_SQL);
                assert_string_equal(dbm_last_error()->sqlstate, "22012");
            }
            OK(dbm_clear_error(s));
            OK(dbm_query_one(s, &row, "SELECT says(?)", run));
            assert_int_equal(dbm_row_int(row, 0), run);
        }
        if (rc != DBM_OK) fail_msg("run %d: %s", run, dbm_last_error()->message);
        assert_int_equal(raw_number("SELECT count(*) FROM way"), 5);
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) { /* live rows, kept while something else is asked; and one that fails among them */
            int64_t n = 0, last = 0;
            const char *first = NULL;
            char copy[24] = "";
            DBM_EACH(s, r, "SELECT g, 'row ' || g FROM generate_series(1, ?) g", 20000) {
                if (n++ == 700) {
                    first = dbm_row_text(r, 1);
                    (void)snprintf(copy, sizeof copy, "%s", first);
                    OK(dbm_query_one(s, &row, "SELECT ?::int", 7));
                    assert_int_equal(dbm_row_int(row, 0), 7);
                    assert_string_equal(first, copy);
                    assert_string_equal(dbm_row_text(r, 1), copy);
                }
                assert_int_equal(dbm_row_int(r, 0), last + 1);
                last++;
            }
            assert_int_equal(n, 20000);
            n = 0;
            DBM_EACH(s, r, "SELECT 10 / (15000 - g) FROM generate_series(1, ?) g", 20000) { (void)r; n++; }
            assert_int_equal(dbm_status_of(s), DBM_E_SQL);
            assert_true(n < 15000);
        }
        assert_int_equal(rc, DBM_E_SQL);
        DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) OK(dbm_query_one(s, &row, "SELECT ?::int", run)); /* its COMMIT is unanswered */
        assert_int_equal(rc, DBM_OK);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            switch (run) {
            case 0: OK(dbm_send(s, "INSERT INTO way VALUES (1)")); break;
            case 1: OK(dbm_script(s, "INSERT INTO way VALUES (1); SELECT 1")); break;
            case 2: assert_int_equal(PQtransactionStatus((PGconn *)dbm_native(s, "postgresql")), PQTRANS_INTRANS); break;
            case 3: { dbm_bulk *b; OK(dbm_bulk_begin(s, &b, "way", "a")); OK(dbm_bulk_row(b, 1)); OK(dbm_bulk_end(b)); break; }
            case 4: OK(dbm_ping(db)); break;
            default: DBM_SAVEPOINT(s) OK(dbm_exec(s, "INSERT INTO way VALUES (1)")); break;
            }
            OK(dbm_query_one(s, &row, "SELECT ?::int", 3));
            if (run == 3) assert_int_equal(PQtransactionStatus((PGconn *)dbm_native(s, "postgresql")), PQTRANS_INTRANS); /* libpq has to be told */
        }
        if (rc != DBM_OK) fail_msg("run %d: %s", run, dbm_last_error()->message);
    }
    assert_int_equal(test_log_count(&logged, DBM_EVENT_NOTICE), 6);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a setting that libpq has not heard of: rows for COPY are made as the server sees it */
        dbm_bulk *b;
        OK(dbm_exec(s, "CREATE TEMP TABLE at (t timestamptz)"));
        for (run = 0; run < 5; run++) OK(dbm_query_one(s, &row, "SELECT set_config('TimeZone', ?, false)", run == 4 ? "Asia/Tokyo" : "UTC"));
        OK(dbm_bulk_begin(s, &b, "at", "t"));
        OK(dbm_bulk_row(b, "2024-01-01 09:00:00"));
        OK(dbm_bulk_end(b));
        OK(dbm_query_one(s, &row, "SELECT t = '2024-01-01 00:00:00+00' FROM at"));
        assert_true(dbm_row_bool(row, 0));
        for (run = 0; run < 5; run++) { /* what comes unasked does not come between */
            OK(dbm_exec(s, "LISTEN heard"));
            OK(dbm_exec(s, "NOTIFY heard, 'word'"));
            OK(dbm_query_one(s, &row, "SELECT ?::int", run));
            assert_int_equal(dbm_row_int(row, 0), run);
            OK(dbm_commit(s));
        }
    }
    assert_int_equal(rc, DBM_OK);
}

/* The types of parameters are those of the table as it is. */
static void tables_made_anew(void **state) {
    dbm_status rc;
    int way, i;
    (void)state;
    for (way = 0; way < 5; way++) {
        (void)raw_text("DROP TABLE IF EXISTS anew; CREATE TABLE anew (a int)");
        for (i = 0; i < 4; i++) DBM_SESSION(mgr, NULL, s) OK(dbm_exec(s, "INSERT INTO anew VALUES (?)", i));
        switch (way) {
        case 0: OK(dbm_exec(db, "DROP TABLE anew")); OK(dbm_exec(db, "CREATE TABLE anew (a text)")); break;
        case 1: DBM_SESSION(mgr, NULL, s) { OK(dbm_exec(s, "DROP TABLE anew")); OK(dbm_exec(s, "CREATE TABLE anew (a text)")); } break;
        case 2: OK(dbm_script(db, "DROP TABLE anew; CREATE TABLE anew (a text)")); break;
        default: (void)raw_text("DROP TABLE anew; CREATE TABLE anew (a text)"); break; /* by somebody else: found when a value does not fit */
        }
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 4, .status = &rc) OK(dbm_exec(s, "INSERT INTO anew VALUES (?)", way < 3 ? "007" : "seven"));
        if (rc != DBM_OK) fail_msg("way %d: %s", way, dbm_last_error()->message);
        if (strcmp(raw_text("SELECT a FROM anew"), way < 3 ? "007" : "seven") != 0) fail_msg("way %d: %s", way, raw_text("SELECT a FROM anew"));
    }
    for (i = 0; i < 3; i++) { /* and what is no number stays none */
        (void)raw_text("DROP TABLE IF EXISTS anew; CREATE TABLE anew (a int)");
        assert_int_equal(dbm_exec(db, "INSERT INTO anew VALUES (?)", "none"), DBM_E_SQL);
        assert_string_equal(dbm_last_error()->sqlstate, "22P02");
    }
}

/* What a name means moves under statements that the server keeps: rows must go where they belong by then, and values be read as what they are there. */
static void names_mean_something_else(void **state) {
    enum { EXEC, SEND, UNDO, COMMIT, POINT };
    static const struct { const char *two, *path, *moves; int how; } ways[] = {
        { "CREATE TABLE two.meant (a text)", "one", "SET search_path = two", EXEC },
        { "CREATE TABLE two.meant (a text)", "one", "SELECT pg_catalog.set_config('search_path', 'two', false)", EXEC },
        { "CREATE TABLE two.meant (a text)", "one", "SET search_path = two", SEND },
        { "CREATE TABLE two.meant (a int)", "two", "ALTER TABLE two.meant ALTER a TYPE text", SEND },
        { "CREATE TABLE two.meant (a text)", "two", "SET search_path = one", UNDO },
        { "CREATE TABLE two.meant (a text)", "two", "SET LOCAL search_path = one", COMMIT },
        { "CREATE TABLE two.meant (a text)", "two", "SET search_path = one", POINT },
        { "SELECT 1", "two, one", "CREATE TABLE two.meant (a text)", EXEC }
    };
    size_t way;
    (void)state;
    for (way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        static const char insert[] = "INSERT INTO meant VALUES (?)";
        int i, how = ways[way].how;
        dbm_status rc;
        (void)raw_text("SET client_min_messages = error; DROP SCHEMA IF EXISTS one, two CASCADE; CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.meant (a int)");
        (void)raw_text(ways[way].two);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            OK(dbm_exec(s, "SELECT set_config('search_path', ?, false)", ways[way].path));
            if (how < UNDO) for (i = 0; i < 4; i++) OK(dbm_exec(s, insert, "1"));
            OK(dbm_commit(s));
            if (how == POINT) {
                DBM_SAVEPOINT(s) {
                    OK(dbm_exec(s, ways[way].moves));
                    for (i = 0; i < 4; i++) OK(dbm_exec(s, insert, "2"));
                    assert_int_equal(dbm_exec(s, "SELECT 1 / 0"), DBM_E_SQL);
                }
                dbm_clear_error(s);
            } else if (how == SEND) {
                OK(dbm_send(s, ways[way].moves));
            } else {
                OK(dbm_exec(s, ways[way].moves));
                if (how != EXEC) for (i = 0; i < 4; i++) OK(dbm_exec(s, insert, "2"));
                if (how == UNDO) OK(dbm_rollback(s));
                if (how == COMMIT) OK(dbm_commit(s));
            }
            OK(dbm_send(s, insert, "007"));
        }
        if (rc != DBM_OK) fail_msg("way %d: %s", (int)way, dbm_last_error()->message);
        if (raw_number("SELECT count(*) FROM two.meant WHERE a = '007'") != 1) fail_msg("way %d: it went elsewhere, or as another value", (int)way);
    }
    (void)raw_text("DROP SCHEMA one, two CASCADE");
}

/* Rows of what is not planned are of the type that it has today. */
static void rows_of_another_type(void **state) {
    static const char *const begins[] = { "DECLARE c CURSOR FOR ", "PREPARE c AS " }, *const runs[] = { "FETCH ALL FROM c", "EXECUTE c" }, *const ends[] = { "CLOSE c", "DEALLOCATE c" };
    static const char *const what[] = { "SELECT 1094861636", "SELECT 1094861636", "SELECT 1094861636", "SELECT 'ABCD'::text", "SELECT 'ABCD'::text, 2", "SELECT 1.5" };
    dbm_status rc;
    size_t way, i;
    (void)state;
    for (way = 0; way < 2; way++) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            for (i = 0; i < sizeof what / sizeof what[0]; i++) {
                dbm_row *row;
                char sql[100];
                (void)snprintf(sql, sizeof sql, "%s%s", begins[way], what[i]);
                OK(dbm_exec(s, sql));
                OK(dbm_query_one(s, &row, runs[way]));
                assert_string_equal(dbm_row_text(row, 0), i < 3 ? "1094861636" : i < 5 ? "ABCD" : "1.5");
                assert_int_equal(dbm_row_columns(row), i == 4 ? 2 : 1);
                OK(dbm_exec(s, ends[way]));
            }
        }
        assert_int_equal(rc, DBM_OK);
    }
}

/* An error of the class of connections is not always the end of one. */
static void an_error_is_no_end(void **state) {
    static char half[1];
    dbm_status rc;
    int run;
    (void)state;
    for (run = 0; run < 3; run++) {
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
            long before = backend(s);
            assert_int_equal(dbm_exec(s, "SELECT ?::int", dbm_blob("abc", 3)), DBM_E_SQL);
            assert_string_equal(dbm_last_error()->sqlstate, "08P01");
            assert_false(dbm_last_error()->retryable);
            dbm_clear_error(s);
            assert_int_equal(backend(s), before);
            OK(dbm_exec(s, "SELECT 1")); /* no row in hand: values are not copied */
            /* What would be larger than a message can be is refused before it is sent, though each value is not. */
            assert_int_equal(dbm_exec(s, "SELECT length(?::bytea) + length(?::bytea)", dbm_blob(half, 600000000), dbm_blob(half, 600000000)), DBM_E_LIMIT);
            dbm_clear_error(s);
            assert_int_equal(backend(s), before);
        }
    }
}

static void handles_and_the_cache(void **state) {
    dbm_config config;
    dbm_status rc;
    (void)state;
    dbm_manager_free(mgr);
    memset(&config, 0, sizeof config);
    config.statement_cache = 4;
    open_with(&config);
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
        dbm_statement *st;
        dbm_row *row;
        int i, k;
        OK(dbm_prepare(s, "SELECT ?::int + 1", &st));
        for (i = 0; i < 200; i++) {
            char sql[64];
            (void)snprintf(sql, sizeof sql, "SELECT %d", i);
            for (k = 0; k < 3; k++) {
                OK(dbm_query_one(s, &row, sql));
                assert_int_equal(dbm_row_int(row, 0), i);
            }
            OK(dbm_stmt_query_one(st, &row, i));
            assert_int_equal(dbm_row_int(row, 0), i + 1);
        }
        OK(dbm_query_one(s, &row, "SELECT count(*) FROM pg_prepared_statements"));
        if (dbm_row_int(row, 0) > 8) fail_msg("%d prepared statements are left on the server", (int)dbm_row_int(row, 0));
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* in one transaction too */
        dbm_row *row;
        int i, k;
        for (i = 0; i < 100; i++) {
            char sql[64];
            (void)snprintf(sql, sizeof sql, "SELECT %d + 1", i);
            for (k = 0; k < 3; k++) OK(dbm_query_one(s, &row, sql));
        }
        OK(dbm_query_one(s, &row, "SELECT count(*) FROM pg_prepared_statements"));
        if (dbm_row_int(row, 0) > 16) fail_msg("%d prepared statements are left on the server", (int)dbm_row_int(row, 0));
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}

static void behind_a_pooler_of_transactions(void **state) {
    dbm_config config;
    char url[600];
    dbm_status rc;
    const char *at = strrchr(servers_url("pgbouncer"), '/');
    int i;
    (void)state;
    dbm_manager_free(mgr);
    memset(&config, 0, sizeof config);
    (void)snprintf(url, sizeof url, "%.*s/%s", (int)(at - servers_url("pgbouncer")), servers_url("pgbouncer"), fresh.name);
    config.url = url;
    config.statement_cache = -1;
    config.pool.size = 4;
    open_with(&config);
    (void)raw_text("DROP TABLE IF EXISTS pooled; CREATE TABLE pooled (a int, t timestamptz)");
    for (i = 0; i < 20; i++) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_session other;
            dbm_row *row;
            OK(dbm_session_begin(db, NULL, &other));
            OK(dbm_exec(s, "INSERT INTO pooled VALUES (?, now())", i));
            OK(dbm_query_one(&other, &row, "SELECT ?::int", i));
            assert_int_equal(dbm_row_int(row, 0), i);
            DBM_EACH(s, each, "SELECT a, t FROM pooled") assert_int_equal(dbm_row_value(each, 1).type, DBM_TYPE_TIMESTAMP);
            dbm_session_end(&other);
        }
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    }
    assert_int_equal(raw_number("SELECT count(*) FROM pooled"), 20);
}

/* ---- what a session leaves, and what it finds ------------------------------------------------------------------------------------- */

static void sessions_begin_alike(void **state) {
    dbm_config config;
    dbm_status rc;
    (void)state;
    (void)raw_text("ALTER ROLE dbm SET datestyle = 'SQL, DMY'; ALTER ROLE dbm SET timezone = 'Asia/Kolkata'; ALTER ROLE dbm SET intervalstyle = 'iso_8601'");
    dbm_manager_free(mgr);
    memset(&config, 0, sizeof config);
    config.init_sql = "SET search_path TO public; SET application_name = 'mine; really'";
    config.statement_timeout_ms = 5000;
    open_with(&config);
    (void)raw_text("ALTER ROLE dbm RESET ALL");
    for (int round = 0; round < 2; round++) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_row *row;
            OK(dbm_query_one(s, &row, "SELECT current_setting('DateStyle'), current_setting('TimeZone'), current_setting('IntervalStyle'), current_setting('client_encoding'), "
                                      "current_setting('search_path'), current_setting('application_name'), current_setting('statement_timeout'), '2024-02-29 12:00+00'::timestamptz"));
            assert_memory_equal(dbm_row_text(row, 0), "ISO", 3);
            assert_string_equal(dbm_row_text(row, 1), "UTC");
            assert_string_equal(dbm_row_text(row, 2), "postgres");
            assert_string_equal(dbm_row_text(row, 3), "UTF8");
            assert_string_equal(dbm_row_text(row, 4), "public");
            assert_string_equal(dbm_row_text(row, 5), "mine; really");
            assert_string_equal(dbm_row_text(row, 6), "5250ms");
            assert_int_equal(dbm_row_timestamp(row, 7), 1709208000000000);
            OK(dbm_exec(s, "SET TimeZone = 'Asia/Tokyo'")); /* undone, and ours comes back */
        }
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    }
}

static void a_reset_undoes_everything(void **state) {
    dbm_status rc;
    dbm_row *row;
    long pid = 0;
    int i;
    (void)state;
    for (i = 0; i < 3; i++) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            pid = backend(s);
            OK(dbm_exec(s, "SET work_mem = '77MB'"));
            OK(dbm_exec(s, "CREATE TEMP TABLE left_over (a int)"));
            OK(dbm_exec(s, "LISTEN left_over"));
            OK(dbm_exec(s, "PREPARE left_over AS SELECT 1"));
            OK(dbm_exec(s, "SELECT pg_advisory_lock(4711)"));
            OK(dbm_query_one(s, &row, "SELECT 1"));
        }
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
        for (int wait = 0; wait < 100 && raw_number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") != 0; wait++) test_pause_ms(10);
        assert_int_equal(raw_number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0); /* before anybody uses it again */
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            assert_int_equal(backend(s), pid);
            OK(dbm_query_one(s, &row, "SELECT current_setting('work_mem') <> '77MB', to_regclass('left_over') IS NULL, (SELECT count(*) FROM pg_listening_channels()), "
                                      "(SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_over')"));
            assert_true(dbm_row_bool(row, 0) && dbm_row_bool(row, 1));
            assert_int_equal(dbm_row_int(row, 2), 0);
            assert_int_equal(dbm_row_int(row, 3), 0);
            OK(dbm_query_one(s, &row, "SELECT 1"));
        }
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    }
}

static void notices_reach_the_log(void **state) {
    (void)state;
    OK(dbm_exec(db, "DO $$ BEGIN RAISE NOTICE 'hello from %', 'there'; RAISE WARNING 'mind the gap'; END $$"));
    assert_int_equal(test_log_count(&logged, DBM_EVENT_NOTICE), 2);
    assert_non_null(strstr(test_log_text(&logged), "NOTICE: hello from there"));
    assert_non_null(strstr(test_log_text(&logged), "WARNING: mind the gap"));
    DBM_EACH(db, row, "COPY (SELECT g FROM generate_series(1, 50000) g) TO STDOUT") (void)dbm_row_text(row, 0);
    assert_int_equal(test_log_count(&logged, DBM_EVENT_NOTICE), 2); /* libpq has none of its own: nothing was asked of it that it does not have */
}

static void the_handle_of_libpq(void **state) {
    dbm_status rc;
    dbm_row *row;
    int i;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS nat; CREATE TABLE nat (a int, b text)");
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* BEGIN is there, statements before and after it too */
        PGconn *conn;
        PGresult *res;
        for (i = 0; i < 3; i++) OK(dbm_query_one(s, &row, "SELECT 1"));
        OK(dbm_exec(s, "INSERT INTO nat VALUES (1, 'one')"));
        assert_null(dbm_native(s, "mysql"));
        OK(dbm_status_of(s) == DBM_OK ? DBM_OK : dbm_status_of(s));
        conn = (PGconn *)dbm_native(s, "postgresql");
        assert_non_null(conn);
        assert_int_equal(PQtransactionStatus(conn), PQTRANS_INTRANS);
        res = PQexec(conn, "COPY nat FROM STDIN");
        assert_int_equal(PQresultStatus(res), PGRES_COPY_IN);
        PQclear(res);
        assert_int_equal(PQputCopyData(conn, "2\ttwo\n3\tthree\n", 14), 1);
        assert_int_equal(PQputCopyEnd(conn, NULL), 1);
        while ((res = PQgetResult(conn)) != NULL) PQclear(res);
        OK(dbm_query_one(s, &row, "SELECT count(*) FROM nat"));
        assert_int_equal(dbm_row_int(row, 0), 3);
        assert_ptr_equal(dbm_native(s, "postgresql"), conn);
        for (i = 0; i < 3; i++) OK(dbm_query_one(s, &row, "SELECT 1"));
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    assert_int_equal(raw_number("SELECT count(*) FROM nat"), 3);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        PGconn *conn = (PGconn *)dbm_native(s, "postgresql");
        assert_int_equal(PQtransactionStatus(conn), PQTRANS_INTRANS);
        PQclear(PQexec(conn, "DELETE FROM nat"));
        dbm_rollback(s);
    }
    assert_int_equal(raw_number("SELECT count(*) FROM nat"), 3);
}

static void scripts(void **state) {
    dbm_status rc;
    (void)state;
    OK(dbm_script(db, "DROP TABLE IF EXISTS scr; CREATE TABLE scr (a int); -- a comment; with one\nINSERT INTO scr VALUES (1); SELECT * FROM scr;\n"
                      "CREATE OR REPLACE FUNCTION scr_f() RETURNS int LANGUAGE plpgsql AS $body$ BEGIN RETURN 1; END; $body$; INSERT INTO scr SELECT scr_f();"));
    assert_int_equal(raw_number("SELECT count(*) FROM scr"), 2);
    assert_int_equal(dbm_script(db, "INSERT INTO scr VALUES (3);\nINSERT INTO nowhere VALUES (4)"), DBM_E_SQL);
    assert_non_null(strstr(dbm_last_error()->message, "line 2"));
    assert_int_equal(raw_number("SELECT count(*) FROM scr"), 2);
    /* The operation of the adapter: one text, by the simple protocol, in the transaction of the session. */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm__work *w = (dbm__work *)s->slot;
        dbm_op op;
        dbm_row *row;
        OK(dbm_exec(s, "INSERT INTO scr VALUES (5)"));
        dbm__op_init(&op, DBM_OP_SCRIPT, INT64_MAX);
        op.sql = "INSERT INTO scr VALUES (6); SELECT 1; INSERT INTO scr VALUES (7)";
        op.sql_size = strlen(op.sql);
        OK(dbm__op_run(&w->slot.connection, &op));
        OK(dbm_query_one(s, &row, "SELECT count(*) FROM scr"));
        assert_int_equal(dbm_row_int(row, 0), 5);
        dbm__op_init(&op, DBM_OP_SCRIPT, INT64_MAX);
        op.sql = "INSERT INTO scr VALUES (8); SELECT 1/0; INSERT INTO scr VALUES (9)";
        op.sql_size = strlen(op.sql);
        assert_int_equal(dbm__op_run(&w->slot.connection, &op), DBM_E_SQL);
        assert_string_equal(dbm_last_error()->sqlstate, "22012");
        dbm_rollback(s);
        OK(dbm_query_one(s, &row, "SELECT count(*) FROM scr"));
        assert_int_equal(dbm_row_int(row, 0), 2);
    }
    assert_int_equal(rc, DBM_OK);
}

#if !defined(DBM__PG_NO_PIPELINE)
/* ---- round trips ----------------------------------------------------------------------------------------------------------------- */

static proxy between;

static void open_between(void) {
    static char url[600];
    dbm_config config;
    const char *host = strstr(fresh.url, "127.0.0.1:");
    const char *rest = host != NULL ? strchr(host, '/') : NULL;
    assert_non_null(rest);
    dbm_manager_free(mgr);
    memset(&config, 0, sizeof config);
    proxy_start(&between, atoi(host + 10));
    (void)snprintf(url, sizeof url, "%.*s127.0.0.1:%d%s", (int)(host - fresh.url), fresh.url, between.port, rest);
    config.url = url;
    open_with(&config);
}

/* Whatever piece of an answer has come: no row is lost, and no outcome. */
static void answers_in_pieces(void **state) {
    dbm_status rc;
    dbm_row *row;
    int piece, run;
    (void)state;
    open_between();
    (void)raw_text("DROP TABLE IF EXISTS pieces; CREATE TABLE pieces (a int, t text)");
    for (piece = 1; piece < 60; piece = piece * 2 + 1) {
        proxy_piece(&between, piece);
        for (run = 0; run < 4; run++) {
            int64_t n = 0, sum = 0;
            DBM_SESSION_RC(mgr, NULL, s, &rc) {
                OK(dbm_exec(s, "INSERT INTO pieces VALUES (?, ?)", run, "piece"));
                assert_int_equal(dbm_affected(s), 1);
                OK(dbm_query_one(s, &row, "SELECT t, a FROM pieces WHERE a = ?", run));
                assert_string_equal(dbm_row_text(row, 0), "piece");
                DBM_EACH(s, r, "SELECT g, 'x' FROM generate_series(1, ?) g", 9) sum += dbm_row_int(r, 0);
                assert_int_equal(sum, 45);
                OK(dbm_exec(s, "UPDATE pieces SET a = a + 0 RETURNING a"));
                assert_int_equal(dbm_affected(s), (int64_t)raw_number("SELECT count(*) FROM pieces") + 1);
            }
            if (rc != DBM_OK) fail_msg("%d bytes: %s", piece, dbm_last_error()->message);
            DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) OK(dbm_query_one(s, &row, "SELECT ?::int", run));
            assert_int_equal(rc, DBM_OK);
            DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
                DBM_EACH(s, r, "SELECT 10 / (4 - g) FROM generate_series(1, ?) g", 9) { (void)r; n++; }
                if (n > 3 || dbm_status_of(s) != DBM_E_SQL) fail_msg("%d bytes, run %d: %ld rows and %s", piece, run, (long)n, dbm_status_name(dbm_status_of(s)));
            }
            assert_int_equal(rc, DBM_E_SQL);
        }
    }
    proxy_stop(&between);
}

static void round_trips(void **state) {
    dbm_row *row;
    dbm_status rc;
    long before;
    int run;
    struct timespec a, b;
    (void)state;
    open_between();
    OK(dbm_exec(db, "DROP TABLE IF EXISTS trips"));
    OK(dbm_exec(db, "CREATE TABLE trips (a int)"));
    for (run = 0; run < 4; run++) {
#define TRIPS(n, ...) do { before = proxy_turns(&between); __VA_ARGS__ if (proxy_turns(&between) - before != (n)) fail_msg("run %d, %s: %ld turns", run, #__VA_ARGS__, proxy_turns(&between) - before); } while (0)
        TRIPS(0, DBM_SESSION(mgr, NULL, s) { (void)s; });
        TRIPS(0, DBM_SESSION(mgr, NULL, s) { DBM_SAVEPOINT(s) { } });
        TRIPS(2, DBM_SESSION(mgr, NULL, s) { OK(dbm_query_one(s, &row, "SELECT ?::int", 1)); });
        TRIPS(2, DBM_SESSION(mgr, NULL, s) { OK(dbm_exec(s, "INSERT INTO trips VALUES (?)", 1)); });
        TRIPS(2, DBM_SESSION(mgr, NULL, s) { DBM_EACH(s, r, "SELECT a FROM trips WHERE a < ?", 0) { (void)r; } });
        TRIPS(3, DBM_SESSION(mgr, NULL, s) { OK(dbm_exec(s, "INSERT INTO trips VALUES (2)")); OK(dbm_exec(s, "INSERT INTO trips VALUES (3)")); });
        TRIPS(2, DBM_SESSION(mgr, NULL, s) { DBM_SAVEPOINT(s) DBM_SAVEPOINT(s) { OK(dbm_exec(s, "INSERT INTO trips VALUES (4)")); } });
        TRIPS(2, DBM_SESSION(mgr, NULL, s) { OK(dbm_exec(s, "INSERT INTO trips VALUES (2)")); break; });
        TRIPS(1, DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true) { OK(dbm_query_one(s, &row, "SELECT ?::int", 1)); });
        TRIPS(1, OK(dbm_exec(db, "INSERT INTO trips VALUES (9)")););
        TRIPS(3, DBM_SESSION(mgr, NULL, s) { int n = 0; DBM_EACH(s, r, "SELECT g FROM generate_series(1, 1500) g") { (void)r; n++; } assert_int_equal(n, 1500); });
        TRIPS(1, OK(dbm_ping(db)););
        TRIPS(1, DBM_SESSION(mgr, NULL, s) { for (int i = 0; i < 50; i++) OK(dbm_send(s, "INSERT INTO trips VALUES (?)", i)); });
        TRIPS(2, DBM_SESSION(mgr, NULL, s) { OK(dbm_send(s, "INSERT INTO trips VALUES (?)", 7)); OK(dbm_query_one(s, &row, "SELECT ?::int", 1)); });
    }
    proxy_delay(&between, 150);
    for (run = 0; run < 2; run++) { /* the COMMIT of one that only reads is not waited for */
        (void)clock_gettime(CLOCK_MONOTONIC, &a);
        DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) { OK(dbm_query_one(s, &row, "SELECT ?::int", 1)); }
        (void)clock_gettime(CLOCK_MONOTONIC, &b);
        assert_int_equal(rc, DBM_OK);
        if ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > 290) fail_msg("a read-only session took more than one round trip");
        test_pause_ms(400);
    }
    proxy_delay(&between, 0);
    for (run = 0; run < 200; run++) { /* and its answer is never taken for another's */
        DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) {
            OK(dbm_query_one(s, &row, "SELECT ?::int", run));
            assert_int_equal(dbm_row_int(row, 0), run);
        }
        assert_int_equal(rc, DBM_OK);
        if (run % 50 == 0) test_pause_ms(5);
    }
    assert_int_equal(close_db(NULL), 0);
    proxy_stop(&between);
}

#endif

/* ---- memory ------------------------------------------------------------------------------------------------------------------------ */

static void nothing_is_allocated_when_warm(void **state) {
    dbm_row *row;
    long calls;
    int run, i;
    (void)state;
    for (run = 0; run < 3; run++) {
        calls = heap.calls;
        for (i = 0; i < 50; i++) {
            DBM_SESSION(mgr, NULL, s) {
                OK(dbm_query_one(s, &row, "SELECT ?::int, ?::text", i, "text"));
                DBM_EACH(s, r, "SELECT g FROM generate_series(1, ?) g", 5) (void)dbm_row_int(r, 0);
                DBM_SAVEPOINT(s) { OK(dbm_exec(s, "SELECT 1")); }
            }
        }
    }
    assert_int_equal(heap.calls - calls, 0);
}

static void every_allocation_may_fail(void **state) {
    long n, failed = 1;
    (void)state;
    for (n = 1; failed != 0; n++) {
        dbm_status rc;
        long seen = heap.failed;
        dbm_row *row;
        test_heap_fail(&heap, n);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            char sql[64];
            int i;
            (void)snprintf(sql, sizeof sql, "SELECT %ld, ?::text, '\\x00'::bytea", n);
            for (i = 0; i < 3; i++) if (dbm_query_one(s, &row, sql, "x") == DBM_OK) (void)dbm_row_blob(row, 2, NULL);
            DBM_EACH(s, outer, "SELECT g, 'oom' FROM generate_series(1, 3) g") DBM_EACH(s, inner, "SELECT g FROM generate_series(1, 3) g") (void)dbm_row_int(inner, 0);
            DBM_SAVEPOINT(s) { dbm_exec(s, "SELECT 2"); }
            dbm_exec(s, "INSERT INTO early VALUES (-1)");
            dbm_rollback(s);
        }
        failed = heap.failed - seen;
        test_heap_fail(&heap, 0);
        if (failed != 0 && rc != DBM_E_NOMEM && rc != DBM_OK && rc != DBM_ROLLED_BACK) fail_msg("allocation %ld: %s %s", n, dbm_status_name(rc), dbm_last_error()->message);
        DBM_SESSION_RC(mgr, NULL, s, &rc) { OK(dbm_query_one(s, &row, "SELECT 1")); }
        assert_int_equal(rc, DBM_OK);
        if (n > 2000) fail_msg("no end");
    }
    assert_int_equal(raw_number("SELECT count(*) FROM early WHERE a = -1"), 0);
}

/* ---- listening ---- */

static void listens(void **state) {
    const dbm_value names[] = { dbm_textn("news", 4), dbm_textn("Odd \"name\"; SELECT 1", 20), dbm_textn("a\0b", 3) };
    listener l;
    int i;
    (void)state;
    if (listener_open(&l, db) != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    assert_int_equal(listener_hears(&l, DBM_LISTEN_CHANNEL, names, 2), DBM_OK);
    assert_false(listener_waits_for(&l));
    assert_int_equal(listener_hears(&l, DBM_LISTEN_PATTERN, names, 1), DBM_E_UNSUPPORTED);
    assert_int_equal(listener_hears(&l, DBM_LISTEN_CHANNEL, names + 2, 1), DBM_E_RANGE);
    assert_false(l.c.broken);
    PQclear(PQexec(raw, "NOTIFY news, 'one'"));
    HEARS(&l, "news", NULL, "one");
    assert_int_equal(((const dbm_notification *)l.op.native)->process, PQbackendPID(raw));
    PQclear(PQexec(raw, "NOTIFY \"Odd \"\"name\"\"; SELECT 1\""));
    HEARS(&l, "Odd \"name\"; SELECT 1", NULL, "");
    for (i = 0; i < 1000; i++) {
        char text[60];
        (void)snprintf(text, sizeof text, "NOTIFY news, '%d'", i);
        PQclear(PQexec(raw, text));
    }
    assert_int_equal(listener_pings(&l), DBM_OK);
    assert_int_equal(listener_hears(&l, DBM_LISTEN_CHANNEL | DBM_LISTEN_STOP, names + 1, 1), DBM_OK);
    for (i = 0; i < 1000; i++) {
        char text[20];
        (void)snprintf(text, sizeof text, "%d", i);
        HEARS(&l, "news", NULL, text);
    }
    PQclear(PQexec(raw, "NOTIFY \"Odd \"\"name\"\"; SELECT 1\""));
    PQclear(PQexec(raw, "NOTIFY news, 'last'"));
    HEARS(&l, "news", NULL, "last");
    PQclear(PQexec(raw, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"));
    assert_int_equal(listener_waits(&l), DBM_E_LOST);
    listener_close(&l);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, open_db, close_db)
    const struct CMUnitTest tests[] = {
        T(every_type_is_exact),
        T(listens),
        T(nan_and_rows_put_aside),
        T(times_that_do_not_fit),
        T(arguments_are_exact),
        T(bad_arguments),
        T(placeholders),
        T(names_and_many_columns),
        T(errors_say_what_the_server_says),
        T(read_only_is_kept),
        T(isolation_levels),
        T(savepoints),
        T(cursors_go_with_their_savepoint),
        T(conflicts_are_tried_again),
        T(failed_commits_say_so),
        T(affected_and_last_id),
        T(rows_stream_in_constant_memory), T(rows_may_grow),
        T(left_early_nothing_is_lost), T(sends_are_done_in_order), T(sends_fail_as_themselves), T(sends_do_not_lock_up),
        T(statements_inside_of_loops),
        T(too_many_rows_to_keep),
        T(interleaved_rows),
        T(large_values),
        T(schemas_change_under_statements),
        T(the_short_way),
        T(tables_made_anew), T(names_mean_something_else), T(rows_of_another_type), T(an_error_is_no_end),
        T(handles_and_the_cache),
        T(behind_a_pooler_of_transactions),
        T(sessions_begin_alike),
        T(a_reset_undoes_everything),
        T(notices_reach_the_log),
        T(the_handle_of_libpq),
        T(scripts),
#if !defined(DBM__PG_NO_PIPELINE)
        T(round_trips), T(answers_in_pieces), T(replies_come_in_order),
#endif
        T(nothing_is_allocated_when_warm),
        T(every_allocation_may_fail)
    };
    return cmocka_run_group_tests_name("postgresql", tests, make_fresh, drop_fresh);
}
