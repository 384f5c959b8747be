/* Bulk on PostgreSQL, which is COPY in binary or as text, and the rows of COPY ... TO STDOUT: values against those of INSERT, failures, cancels,
 * servers that die. */
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "servers/test_postgresql.h"
#include "proxy.h"
#include <math.h>
#include <sys/resource.h>

static long resident_kb(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1) fail_msg("/proc/self/statm");
    (void)fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static long backend(void) {
    dbm_row *row;
    long pid = 0;
    DBM_SESSION(mgr, NULL, s) {
        OK(dbm_query_one(s, &row, "SELECT pg_backend_pid()"));
        pid = (long)dbm_row_int(row, 0);
    }
    return pid;
}

static dbm_status bulk_one(const char *table, const dbm_value *v) {
    dbm_bulk *b;
    dbm_status st = dbm_bulk_begin(db, &b, table, "v");
    if (st != DBM_OK) return st;
    (void)dbm_bulk_rowv(b, v, 1);
    return dbm_bulk_end(b);
}

/* ---- values ------------------------------------------------------------------------------------------------------------------------- */

enum { SAME = 0, REFUSED, STRICTER }; /* STRICTER: INSERT leaves it to the server, COPY can't */

typedef struct value_case { const char *type; dbm_value v; int how; } value_case;

/* Every value goes in by INSERT and by COPY, and both must be one. */
static void values_are_those_of_insert(void **state) {
    static const char big[] = "123456789012345678901234567890123456789012345678901234567890.000000000000000000000000000012345000";
    const value_case cases[] = {
        { "int2", dbm_int(-32768), SAME }, { "int2", dbm_int(32767), SAME }, { "int2", dbm_int(32768), REFUSED }, { "int2", dbm_text("12"), SAME },
        { "int4", dbm_int(INT32_MIN), SAME }, { "int4", dbm_int(INT32_MAX), SAME }, { "int4", dbm_int((int64_t)INT32_MAX + 1), REFUSED }, { "int4", dbm_bool(true), SAME },
        { "int4", dbm_text("x"), REFUSED }, { "int4", dbm_double(7), SAME }, { "int4", dbm_double(7.5), REFUSED }, { "int4", dbm_decimal("-70"), SAME },
        { "int8", dbm_int(INT64_MIN), SAME }, { "int8", dbm_int(INT64_MAX), SAME }, { "int8", dbm_uint(UINT64_MAX), REFUSED }, { "int8", dbm_text("-5"), SAME },
        { "oid", dbm_int(0), SAME }, { "oid", dbm_int(4294967295), SAME }, { "oid", dbm_int(4294967296), REFUSED },
        { "bool", dbm_bool(true), SAME }, { "bool", dbm_bool(false), SAME }, { "bool", dbm_int(1), SAME }, { "bool", dbm_text("yes"), SAME }, { "bool", dbm_text("maybe"), REFUSED },
        { "float8", dbm_double(0.1), SAME }, { "float8", dbm_double(-0.0), SAME }, { "float8", dbm_double(1.7976931348623157e308), SAME }, { "float8", dbm_double(5e-324), SAME },
        { "float8", dbm_double((double)INFINITY), SAME }, { "float8", dbm_double(-(double)INFINITY), SAME }, { "float8", dbm_double((double)NAN), SAME }, { "float8", dbm_int(12345), SAME },
        { "float8", dbm_text("2.5e3"), SAME }, { "float8", dbm_text("x"), REFUSED }, { "float8", dbm_decimal("0.30"), SAME },
        { "float4", dbm_double(0.25), SAME }, { "float4", dbm_double(0.1), SAME }, { "float4", dbm_double(3.4e38), SAME }, { "float4", dbm_double(3.5e38), REFUSED },
        { "float4", dbm_double(1e-50), REFUSED }, { "float4", dbm_double((double)INFINITY), SAME }, { "float4", dbm_int(7), SAME },
        { "text", dbm_text(""), SAME }, { "text", dbm_text("gr\303\274n \360\237\214\263\t\n\\x"), SAME }, { "text", dbm_int(-5), SAME }, { "text", dbm_double(0.5), SAME },
        { "text", dbm_bool(true), SAME }, { "text", dbm_timestamp(1), SAME }, { "text", dbm_textn("a\0b", 3), REFUSED }, { "text", dbm_text("\377"), REFUSED },
        { "text", dbm_blob("abc", 3), SAME }, { "text", dbm_uint(UINT64_MAX), SAME }, { "text", dbm_decimal("1.10"), SAME },
        { "varchar(5)", dbm_text("abcde"), SAME }, { "varchar(5)", dbm_text("abcdef"), REFUSED }, { "varchar(5)", dbm_text("abcde  "), SAME },
        { "char(5)", dbm_text("ab"), SAME }, { "char(5)", dbm_text("abcdef"), REFUSED }, { "name", dbm_text("abc"), SAME },
        { "json", dbm_json("{\"a\" : [1, 2]}"), SAME }, { "json", dbm_json("{"), REFUSED }, { "jsonb", dbm_json("{\"b\":1,  \"a\":[null,true]}"), SAME },
        { "jsonb", dbm_text("{"), REFUSED }, { "jsonb", dbm_int(5), SAME },
        { "bytea", dbm_blob("\0\1\377\\x", 5), SAME }, { "bytea", dbm_blob("", 0), SAME }, { "bytea", dbm_text("\\x00ff41"), SAME }, { "bytea", dbm_text("plain"), SAME },
        { "bytea", dbm_text("\\x0"), REFUSED }, { "bytea", dbm_text("a\\134b"), STRICTER },
        { "numeric", dbm_decimal("0"), SAME }, { "numeric", dbm_decimal("0.00"), SAME }, { "numeric", dbm_decimal("-0.0001"), SAME }, { "numeric", dbm_decimal("00012.500"), SAME },
        { "numeric", dbm_decimal("9999"), SAME }, { "numeric", dbm_decimal("10000"), SAME }, { "numeric", dbm_decimal("100000000.00010"), SAME }, { "numeric", dbm_decimal(".5"), SAME },
        { "numeric", dbm_decimal("5."), SAME }, { "numeric", dbm_decimal("+1e10"), SAME }, { "numeric", dbm_decimal("1.25e-7"), SAME }, { "numeric", dbm_decimal("-1.5E+3"), SAME },
        { "numeric", dbm_decimal("123e-2"), SAME }, { "numeric", dbm_decimal("0.000000000000000000001"), SAME }, { "numeric", dbm_decimal(big), SAME },
        { "numeric", dbm_int(INT64_MIN), SAME }, { "numeric", dbm_uint(UINT64_MAX), SAME }, { "numeric", dbm_double(0.1), SAME }, { "numeric", dbm_double(1e300), SAME },
        { "numeric", dbm_text("NaN"), SAME }, { "numeric", dbm_text("-Infinity"), SAME }, { "numeric", dbm_double((double)INFINITY), SAME }, { "numeric", dbm_decimal("1.2.3"), REFUSED },
        { "numeric", dbm_decimal(""), REFUSED }, { "numeric", dbm_decimal("-"), REFUSED }, { "numeric", dbm_decimal("1e"), REFUSED }, { "numeric", dbm_decimal("1e200000"), REFUSED },
        { "numeric", dbm_text("12x"), REFUSED }, { "numeric", dbm_decimal("1e131071"), SAME }, { "numeric", dbm_decimal("1e-16383"), SAME },
        { "numeric(6,2)", dbm_decimal("1234.567"), SAME }, { "numeric(6,2)", dbm_decimal("12345.6"), REFUSED },
        { "date", dbm_text("2024-02-29"), SAME }, { "date", dbm_text("2023-02-29"), REFUSED }, { "date", dbm_text("0001-01-01"), SAME }, { "date", dbm_text("9999-12-31"), SAME },
        { "date", dbm_text("infinity"), SAME }, { "date", dbm_text("-infinity"), SAME }, { "date", dbm_timestamp(-1), SAME }, { "date", dbm_text("2024-03-01 23:30:00-05"), SAME },
        { "date", dbm_text("March 1, 2024"), STRICTER }, { "date", dbm_text("x"), REFUSED },
        { "time", dbm_text("00:00"), SAME }, { "time", dbm_text("23:59:59.999999"), SAME }, { "time", dbm_text("12:34:56.7"), SAME }, { "time", dbm_text("12:00:61"), REFUSED },
        { "time", dbm_timestamp(INT64_C(-3723000001)), SAME }, { "time", dbm_text("12:34:56+05"), SAME },
        { "timestamp", dbm_timestamp(INT64_C(1709212496789012)), SAME }, { "timestamp", dbm_timestamp(0), SAME }, { "timestamp", dbm_timestamp(-1), SAME },
        { "timestamp", dbm_text("2024-02-29 12:34:56.789012"), SAME }, { "timestamp", dbm_text("2024-02-29T12:34:56Z"), SAME }, { "timestamp", dbm_text("2024-02-29 12:00:00-07:30"), SAME },
        { "timestamp", dbm_text("2024-02-29"), SAME }, { "timestamp", dbm_text("infinity"), SAME }, { "timestamp", dbm_text("x"), REFUSED }, { "timestamp", dbm_int(5), REFUSED },
        { "timestamptz", dbm_timestamp(INT64_C(1709212496789012)), SAME }, { "timestamptz", dbm_timestamp(INT64_C(-62135596800000000)), SAME },
        { "timestamptz", dbm_timestamp(INT64_C(-210866803200000000)), SAME }, { "timestamptz", dbm_timestamp(INT64_C(-210866803200000001)), REFUSED },
        { "timestamptz", dbm_timestamp(INT64_MIN), REFUSED }, { "timestamptz", dbm_timestamp(INT64_C(9223372036854775807)), SAME }, { "timestamptz", dbm_text("-infinity"), SAME },
        { "timestamptz", dbm_text("2024-02-29 12:34:56.5+05:30"), SAME }, { "timestamptz", dbm_text("2024-02-29 12:34:56"), SAME },
        { "uuid", dbm_uuid("00112233-4455-6677-8899-aABBccddeeff"), SAME }, { "uuid", dbm_text("00112233445566778899aabbccddeeff"), SAME },
        { "uuid", dbm_text("{00112233-4455-6677-8899-aabbccddeeff}"), SAME }, { "uuid", dbm_text("0011-2233"), REFUSED }, { "uuid", dbm_text("0011223-34455-6677-8899-aabbccddeeff"), REFUSED },
        { "uuid", dbm_text("00112233-4455-6677-8899-aabbccddeeff0"), REFUSED }, { "uuid", dbm_blob("0123456789abcdef", 16), SAME },
        /* These make it text. */
        { "mood", dbm_text("glad"), SAME }, { "mood", dbm_text("bad"), REFUSED }, { "int[]", dbm_text("{1,NULL,3}"), SAME }, { "text[]", dbm_text("{\"a\\\\b\",\"c\\td\"}"), SAME },
        { "interval", dbm_text("1 day 02:03:04"), SAME }, { "timetz", dbm_text("12:00:00+02"), SAME }, { "inet", dbm_text("10.0.0.1/8"), SAME }, { "\"char\"", dbm_text("x"), SAME },
        { "money", dbm_text("12.30"), SAME }, { "bit(3)", dbm_text("101"), SAME }, { "int4range", dbm_text("[1,5)"), SAME }, { "point", dbm_text("(1,2)"), SAME },
        { "xid", dbm_int(7), SAME }, { "small", dbm_int(5), SAME }, { "small", dbm_int(50), REFUSED }, { "tsvector", dbm_text("a b"), SAME }
    };
    size_t i;
    (void)state;
    (void)raw_text("CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN small AS int CHECK (VALUE < 10)");
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const value_case *c = &cases[i];
        char sql[256], shown[64];
        int way;
        for (way = 0; way < 2; way++) { /* as it is, and beside a column that makes all of it text */
            dbm_status st, by_insert;
            dbm_bulk *b;
            (void)dbm_adapter_text(&c->v, shown, NULL);
            (void)snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS one; CREATE TABLE one (v %s, other interval)", c->type);
            (void)raw_text(sql);
            (void)snprintf(sql, sizeof sql, "INSERT INTO one (v) VALUES (?) -- %d", (int)i); /* another statement, whose parameter has another type */
            by_insert = dbm_execv(db, sql, &c->v, 1);
            if ((by_insert == DBM_OK) == (c->how == REFUSED)) fail_msg("%s, case %d: INSERT says %s", c->type, (int)i, dbm_last_error()->message);
            if (way == 0) {
                st = bulk_one("one", &c->v);
            } else {
                dbm_value both[2];
                both[0] = c->v;
                both[1] = dbm_text("1 hour");
                OK(dbm_bulk_begin(db, &b, "one", "v,other"));
                (void)dbm_bulk_rowv(b, both, 2);
                st = dbm_bulk_end(b);
                if (c->how == STRICTER || (c->v.type == DBM_TYPE_BLOB && strcmp(c->type, "uuid") == 0)) continue;
            }
            if ((st != DBM_OK) != (c->how != SAME)) fail_msg("%s, case %d, way %d: COPY says %s %s", c->type, (int)i, way, dbm_status_name(st), st != DBM_OK ? dbm_last_error()->message : "");
            if (st != DBM_OK) {
                if (strstr(dbm_last_error()->message, "row 0 of the bulk") == NULL) fail_msg("%s, case %d: %s", c->type, (int)i, dbm_last_error()->message);
                /* A text row is looked at as a whole for what is no UTF-8. */
                if (strstr(dbm_last_error()->message, "column v") == NULL && strstr(dbm_last_error()->message, "encoding") == NULL) fail_msg("%s, case %d: %s", c->type, (int)i, dbm_last_error()->message);
                assert_int_equal(raw_number("SELECT count(*) FROM one"), c->how == STRICTER);
                continue;
            }
            assert_int_equal(raw_number("SELECT count(*) FROM one"), 2);
            if (raw_number("SELECT count(DISTINCT v::text) FROM one") != 1) {
                (void)snprintf(sql, sizeof sql, "%s", raw_text("SELECT string_agg(v::text, ' and ') FROM one"));
                fail_msg("%s, case %d, way %d: %s", c->type, (int)i, way, sql);
            }
        }
    }
}

/* Without UTC a text without a zone is the session's own time. */
static void zones_of_the_session(void **state) {
    dbm_value v = dbm_text("2024-06-01 12:00:00");
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS zoned; CREATE TABLE zoned (v timestamptz)");
    DBM_SESSION(mgr, NULL, s) {
        dbm_bulk *b;
        OK(dbm_exec(s, "SET TIME ZONE 'Europe/Berlin'"));
        OK(dbm_bulk_begin(s, &b, "zoned", "v"));
        OK(dbm_bulk_rowv(b, &v, 1));
        OK(dbm_bulk_row(b, dbm_timestamp(INT64_C(1717236000000000))));
        OK(dbm_bulk_end(b));
    }
    assert_int_equal(raw_number("SELECT count(*) FROM zoned WHERE v = '2024-06-01 10:00:00Z'"), 2);
}

/* No type is remembered: columns that change between two bulks of a connection are those that they are. */
static void columns_that_change(void **state) {
    static const char *const types[] = { "int4", "float4", "date", "int8", "timestamptz", "float8", "text", "numeric", "time" };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        char sql[128];
        dbm_value v = strcmp(types[i], "time") == 0 ? dbm_text("12:00:00") : strcmp(types[i], "date") == 0 || strcmp(types[i], "timestamptz") == 0 ? dbm_text("2024-02-29") : dbm_int(5);
        (void)snprintf(sql, sizeof sql, "DROP TABLE IF EXISTS moving; CREATE TABLE moving (v %s)", types[i]);
        (void)raw_text(sql);
        OK(bulk_one("moving", &v));
        assert_string_equal(raw_text("SELECT left(v::text, 5) FROM moving"), v.type == DBM_TYPE_INT ? "5" : strcmp(types[i], "time") == 0 ? "12:00" : "2024-");
    }
    /* The table cannot change while a bulk of it is open. */
    DBM_SESSION(mgr, NULL, s) {
        dbm_bulk *b;
        OK(dbm_bulk_begin(s, &b, "moving", "v"));
        PGresult *res = PQexec(raw, "SET lock_timeout = 100; ALTER TABLE moving ALTER v TYPE text");
        assert_string_equal(PQresultErrorField(res, PG_DIAG_SQLSTATE), "55P03");
        PQclear(res);
        (void)raw_text("RESET lock_timeout");
        OK(dbm_bulk_row(b, "13:00:00"));
        OK(dbm_bulk_end(b));
    }
    assert_int_equal(raw_number("SELECT count(*) FROM moving"), 2);
}

/* Names are the caller's, and INSERT is the only right that it takes. */
static void names_and_rights(void **state) {
    (void)state;
    (void)raw_text("DROP SCHEMA IF EXISTS \"Odd one\" CASCADE; CREATE SCHEMA \"Odd one\"; CREATE TABLE \"Odd one\".\"a, line 9\"\"b\" (\"Weird \"\"x\" int CHECK (\"Weird \"\"x\" < 100), plain int);"
                   "DROP ROLE IF EXISTS dbm_bulk_writer; CREATE ROLE dbm_bulk_writer; GRANT USAGE ON SCHEMA \"Odd one\" TO dbm_bulk_writer;"
                   "GRANT INSERT ON \"Odd one\".\"a, line 9\"\"b\" TO dbm_bulk_writer");
    DBM_SESSION(mgr, NULL, s) {
        dbm_bulk *b;
        OK(dbm_exec(s, "SET LOCAL ROLE dbm_bulk_writer"));
        OK(dbm_bulk_begin(s, &b, "\"Odd one\".\"a, line 9\"\"b\"", " \"Weird \"\"x\" , plain"));
        OK(dbm_bulk_row(b, 1, 2));
        OK(dbm_bulk_end(b));
        assert_int_equal(dbm_affected(s), 1);
    }
    assert_int_equal(raw_number("SELECT count(*) FROM \"Odd one\".\"a, line 9\"\"b\""), 1);
    {
        dbm_bulk *b;
        OK(dbm_bulk_begin(db, &b, "\"Odd one\".\"a, line 9\"\"b\"", "plain,\"Weird \"\"x\""));
        OK(dbm_bulk_row(b, 1, 1));
        OK(dbm_bulk_row(b, 1, 100));
        assert_int_equal(dbm_bulk_end(b), DBM_E_CONSTRAINT);
        assert_non_null(strstr(dbm_last_error()->message, "row 1 of the bulk"));
    }
    (void)raw_text("DROP SCHEMA \"Odd one\" CASCADE; DROP ROLE dbm_bulk_writer");
    {
        dbm_bulk *b;
        assert_int_equal(dbm_bulk_begin(db, &b, "no_such_table", "a"), DBM_E_SQL);
        assert_non_null(strstr(dbm_last_error()->message, "no_such_table"));
        (void)raw_text("DROP TABLE IF EXISTS g; CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a + 1) STORED)");
        assert_int_equal(dbm_bulk_begin(db, &b, "g", "b"), DBM_E_SQL);
        assert_non_null(strstr(dbm_last_error()->message, "generated"));
        OK(dbm_bulk_begin(db, &b, "g", "a"));
        OK(dbm_bulk_end(b)); /* no row at all */
        assert_int_equal(raw_number("SELECT count(*) FROM g"), 0);
    }
}

/* ---- many rows ---------------------------------------------------------------------------------------------------------------------- */

enum { MANY = 100000 };

static void many_rows(void **state) {
    static int32_t ids[MANY];
    static int64_t wide[MANY];
    static int16_t narrow[MANY];
    static double reals[MANY];
    static const char *texts[MANY];
    static int64_t times[MANY];
    static bool flags[MANY];
    static unsigned char bits[MANY / 8 + 1];
    const char *const sums = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(wide) || ' ' || sum(narrow) || ' ' || sum(real) || ' ' || count(t) || ' ' || md5(string_agg(t, ',' ORDER BY id)) || ' ' ||"
                             " max(at)::text || ' ' || count(*) FILTER (WHERE flag) FROM many";
    char first[512], kept[MANY / 1000][24];
    long i, peak[3], before;
    int way;
    (void)state;
    for (i = 0; i < MANY; i++) {
        ids[i] = (int32_t)i;
        wide[i] = i * INT64_C(1000000007);
        narrow[i] = (int16_t)(i % 30000);
        reals[i] = (double)i / 4;
        times[i] = i * INT64_C(1000001);
        flags[i] = i % 3 == 0;
        if (i < MANY / 1000) (void)snprintf(kept[i], sizeof kept[i], "text number %ld", i);
        texts[i] = i % 10 == 3 ? NULL : kept[i % (MANY / 1000)];
        if (i % 7 == 0) bits[i / 8] = (unsigned char)(bits[i / 8] | 1u << i % 8);
    }
    for (way = 0; way < 3; way++) { /* row by row; arrays; arrays, as text */
        dbm_status rc;
        (void)raw_text(way == 2 ? "DROP TABLE many; CREATE TABLE many (id int, wide int8, narrow int2, real float8, t text, at timestamptz, flag bool, extra interval)"
                                : "DROP TABLE IF EXISTS many; CREATE TABLE many (id int, wide int8, narrow int2, real float8, t text, at timestamptz, flag bool)");
        before = resident_kb();
        heap.peak_bytes = heap.live_bytes;
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_bulk *b;
            OK(dbm_bulk_begin(s, &b, "many", way == 2 ? "id,wide,narrow,real,t,at,flag,extra" : "id,wide,narrow,real,t,at,flag"));
            if (way == 0) {
                for (i = 0; i < MANY; i++) OK(dbm_bulk_row(b, ids[i], wide[i], narrow[i], i % 7 == 0 ? dbm_null() : dbm_double(reals[i]), texts[i], dbm_timestamp(times[i]), flags[i]));
            } else {
                dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(wide), DBM_COLUMN(narrow), DBM_COLUMN_NULLS(reals, bits), DBM_COLUMN(texts), DBM_COLUMN_AS(DBM_TYPE_TIMESTAMP, times),
                                         DBM_COLUMN(flags), DBM_COLUMN(texts) };
                static const char *none[MANY];
                columns[7].data = none;
                OK(dbm_bulk_columns(b, columns, way == 2 ? 8 : 7, MANY));
            }
            OK(dbm_bulk_end(b));
            assert_int_equal(dbm_affected(s), MANY);
        }
        assert_int_equal(rc, DBM_OK);
        peak[way] = heap.peak_bytes;
        if (!SANITIZED && resident_kb() - before > 4096) fail_msg("way %d: %ld KB more", way, resident_kb() - before);
        if (way == 0) (void)snprintf(first, sizeof first, "%s", raw_text(sums));
        else assert_string_equal(raw_text(sums), first);
    }
    for (way = 0; way < 3; way++) assert_true(peak[way] < 400 * 1024);
    assert_int_equal(raw_number("SELECT count(*) FROM many WHERE real IS NULL"), (MANY + 6) / 7);
}

/* A row larger than any buffer, among small ones; and its memory is given back. */
static void large_rows(void **state) {
    size_t size = 20 * 1024 * 1024;
    char *large = (char *)malloc(size);
    long live;
    dbm_bulk *b;
    (void)state;
    assert_non_null(large);
    memset(large, 'x', size);
    (void)raw_text("DROP TABLE IF EXISTS large; CREATE TABLE large (a int, b bytea, t text)");
    OK(dbm_bulk_begin(db, &b, "large", "a,b,t"));
    OK(dbm_bulk_row(b, 1, dbm_blob("\1", 1), "small"));
    live = heap.live_bytes;
    OK(dbm_bulk_row(b, 2, dbm_blob(large, size), dbm_textn(large, size)));
    assert_true(heap.live_bytes < live + 1024 * 1024);
    OK(dbm_bulk_row(b, 3, NULL, NULL));
    OK(dbm_bulk_end(b));
    free(large);
    assert_int_equal(raw_number("SELECT sum(a) FROM large"), 6);
    assert_int_equal(raw_number("SELECT length(b) + length(t) FROM large WHERE a = 2"), (long)(2 * size));
}

/* ---- failures ----------------------------------------------------------------------------------------------------------------------- */

static void rows_that_fail(void **state) {
    dbm_status rc;
    int way;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS f; CREATE TABLE f (id int PRIMARY KEY, n varchar(5) NOT NULL, c int CHECK (c <> 13))");
    for (way = 0; way < 6; way++) { /* too large; a text that is too long; twice the same; NULL; a check; by an array */
        long i, pid = backend();
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_bulk *b;
            dbm_status st = DBM_OK;
            OK(dbm_exec(s, "INSERT INTO f VALUES (-1, 'x', 1) ON CONFLICT DO NOTHING"));
            OK(dbm_bulk_begin(s, &b, "f", "id,n,c"));
            if (way == 5) {
                static int64_t ids[5000], c[5000];
                static const char *n[5000];
                const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(n), DBM_COLUMN(c) };
                for (i = 0; i < 5000; i++) { ids[i] = i; n[i] = "y"; c[i] = i == 3210 ? INT64_C(1) << 40 : 1; }
                st = dbm_bulk_columns(b, columns, 3, 5000);
            }
            for (i = 0; i < 5000 && way != 5 && st == DBM_OK; i++) {
                bool bad = i == 3210;
                st = dbm_bulk_row(b, way == 0 && bad ? INT64_C(1) << 40 : way == 2 && bad ? 1 : (int64_t)i, way == 1 && bad ? dbm_text("toolong") : way == 3 && bad ? dbm_null() : dbm_text("y"),
                                  way == 4 && bad ? 13 : 1);
            }
            if (way == 0 || way == 5) assert_int_equal(st, DBM_E_RANGE);
            st = dbm_bulk_end(b);
            assert_int_equal(st, way <= 1 || way == 5 ? DBM_E_RANGE : DBM_E_CONSTRAINT);
            assert_non_null(strstr(dbm_last_error()->message, "row 3210 of the bulk"));
            if (way != 2 && way != 4) assert_non_null(strstr(dbm_last_error()->message, way == 0 ? "column id" : way == 5 ? "column c" : way == 3 ? "\"n\"" : "column n"));
            if (way == 2) assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_UNIQUE);
            dbm_clear_error(s); /* what was before the bulk goes on */
            OK(dbm_exec(s, "INSERT INTO f VALUES (?, 'z', 1)", -2 - way));
        }
        if (rc != DBM_OK) fail_msg("way %d: %s", way, dbm_last_error()->message);
        assert_int_equal(raw_number("SELECT count(*) FROM f WHERE id >= 0"), 0);
        assert_int_equal(raw_number("SELECT count(*) FROM f"), way + 2);
        assert_int_equal(backend(), pid);
    }
}

static void abandoned_and_left(void **state) {
    dbm_status rc;
    int way;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS a; CREATE TABLE a (id int)");
    for (way = 0; way < 8; way++) {
        long i, pid = backend();
        bool many = way % 2 == 1; /* more than the buffers hold */
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way >= 6, .status = &rc) {
            dbm_bulk *b;
            if (way < 2) OK(dbm_exec(s, "INSERT INTO a VALUES (-1)"));
            if (way == 2 || way == 3) {
                DBM_SAVEPOINT(s) {
                    OK(dbm_exec(s, "INSERT INTO a VALUES (-2)"));
                    OK(dbm_bulk_begin(s, &b, "a", "id"));
                    for (i = 0; i < (many ? 100000 : 10); i++) OK(dbm_bulk_row(b, i));
                    OK(dbm_bulk_abandon(b));
                    OK(dbm_exec(s, "INSERT INTO a VALUES (-3)"));
                }
                continue;
            }
            OK(dbm_bulk_begin(s, &b, "a", "id"));
            for (i = 0; i < (many ? 100000 : 10); i++) OK(dbm_bulk_row(b, i));
            if (way == 4 || way == 5) break;
            OK(dbm_bulk_abandon(b));
        }
        assert_int_equal(rc, way == 4 || way == 5 ? DBM_E_LEFT_EARLY : DBM_OK);
        assert_int_equal(raw_number("SELECT count(*) FROM a WHERE id >= 0"), 0);
        assert_int_equal(raw_number("SELECT count(*) FROM a"), way < 2 ? 1 : way == 2 || way == 3 ? 2 : 0);
        (void)raw_text("TRUNCATE a");
        assert_int_equal(backend(), pid);
    }
    /* A bulk that is kept, within a savepoint that is not, and the other way round. */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_bulk *b;
        DBM_SAVEPOINT(s) {
            OK(dbm_bulk_begin(s, &b, "a", "id"));
            OK(dbm_bulk_row(b, 1));
            OK(dbm_bulk_end(b));
            (void)dbm_exec(s, "SELECT nonsense");
        }
        dbm_clear_error(s);
        DBM_SAVEPOINT(s) {
            OK(dbm_bulk_begin(s, &b, "a", "id"));
            OK(dbm_bulk_row(b, 2));
            OK(dbm_bulk_end(b));
            OK(dbm_bulk_begin(s, &b, "a", "id"));
            OK(dbm_bulk_row(b, 4));
            OK(dbm_bulk_end(b));
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(raw_number("SELECT sum(id) FROM a"), 6);
}

/* The server refuses an early row: that is heard of while later ones are sent, not at their end. */
static void failures_are_heard_early(void **state) {
    long i, taken = 0;
    dbm_bulk *b;
    dbm_status st = DBM_OK;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS e; CREATE TABLE e (id int CHECK (id <> 5), t text)");
    OK(dbm_bulk_begin(db, &b, "e", "id,t"));
    for (i = 0; i < 400 && st == DBM_OK; i++) {
        long k;
        for (k = 0; k < 1000 && st == DBM_OK; k++, taken++) st = dbm_bulk_row(b, taken, "some text, so that there is something to send");
        if (i < 20) test_pause_ms(5);
    }
    assert_int_equal(st, DBM_E_CONSTRAINT);
    assert_true(taken < 100000);
    assert_int_equal(dbm_bulk_end(b), DBM_E_CONSTRAINT);
    assert_non_null(strstr(dbm_last_error()->message, "row 5 of the bulk"));
    assert_int_equal(raw_number("SELECT count(*) FROM e"), 0);
    /* With notices in front of it, at the end at the latest. */
    (void)raw_text("CREATE OR REPLACE FUNCTION tell() RETURNS trigger AS $$ BEGIN RAISE WARNING 'row % EEEE', NEW.id; RETURN NEW; END $$ LANGUAGE plpgsql; "
                   "CREATE TRIGGER tell BEFORE INSERT ON e FOR EACH ROW EXECUTE FUNCTION tell()");
    for (i = 0; i < 2; i++) { /* the second one fails */
        long k;
        st = DBM_OK;
        OK(dbm_bulk_begin(db, &b, "e", "id,t"));
        for (k = 0; k < 20000 && st == DBM_OK; k++) st = dbm_bulk_row(b, i == 1 && k == 15000 ? 5 : k + 10, "text");
        st = dbm_bulk_end(b);
        assert_int_equal(st, i == 0 ? DBM_OK : DBM_E_CONSTRAINT);
        if (i == 1) assert_non_null(strstr(dbm_last_error()->message, "row 15000 of the bulk"));
    }
    assert_int_equal(raw_number("SELECT count(*) FROM e"), 20000);
}

/* ---- rows by themselves --------------------------------------------------------------------------------------------------------- */

typedef struct refusals { long count; int64_t rows[2000]; dbm_status first; } refusals;
static void refused_row(void *ud, int64_t row, const dbm_error_info *error) {
    refusals *r = (refusals *)ud;
    if (r->count == 0) r->first = error->status;
    if (r->count < 2000) r->rows[r->count] = row;
    r->count++;
}

static void rows_by_themselves(void **state) {
    static refusals r;
    static char wide[100001];
    dbm_status rc;
    int way;
    (void)state;
    memset(wide, 'w', 100000);
    for (way = 0; way < 5; way++) { /* none is refused; a few; every second one; all; some before they are sent */
        int64_t i, kept = 0, expected = 0, n = 0;
        dbm_stats_info before, after;
        memset(&r, 0, sizeof r);
        (void)raw_text("DROP TABLE IF EXISTS singles; CREATE TABLE singles (a int PRIMARY KEY CHECK (a >= 0), t text, b bytea, d float8)");
        assert_int_equal(dbm_stats(db, &before), DBM_OK);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_bulk *b;
            OK(dbm_exec(s, "INSERT INTO singles VALUES (1000000)"));
            OK(dbm_bulk_begin_opt(s, &b, "singles", "a,t,b,d", .each_row = 1, .failed = refused_row, .failed_ud = &r));
            for (i = 0; i < 1000; i++) {
                bool bad = way == 3 || (way == 1 && i % 300 == 7) || (way >= 2 && i % 2 == 1);
                char blob[2] = { 0, 1 };
                if (bad) expected++;
                if (bad && way == 4) OK(dbm_bulk_rowv(b, (dbm_value[]){ dbm_int(i), dbm_textn("a\0b", 3), dbm_blob(blob, 2), dbm_double(0.5) }, 4));
                else OK(dbm_bulk_row(b, bad ? i % 3 == 0 ? (int64_t)-5 : 1000000 : i, i == 500 ? wide : i % 7 == 0 ? NULL : "some text", dbm_blob(blob, 2), 0.5));
            }
            OK(dbm_bulk_end(b));
            kept = dbm_affected(s);
        }
        if (rc != DBM_OK) fail_msg("way %d: %s", way, dbm_last_error()->message);
        if (r.count != expected || kept != 1000 - expected) fail_msg("way %d: %ld refused, %ld kept", way, r.count, (long)kept);
        assert_int_equal(raw_number("SELECT count(*) FROM singles WHERE a < 1000000 AND length(b) = 2 AND d = 0.5 AND (a % 7 <> 0) = (t IS NOT NULL)"), 1000 - expected);
        for (i = 0; i < r.count && i < 2000; i++) n += r.rows[i];
        for (i = 0; i < 1000; i++) if (way == 3 || (way == 1 && i % 300 == 7) || (way >= 2 && i % 2 == 1)) n -= i;
        assert_int_equal(n, 0); /* each of them was told, by its own number */
        assert_int_equal(dbm_stats(db, &after), DBM_OK);
        assert_int_equal(after.out, 0);
    }
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a bulk that can't be, and one that is dropped */
        dbm_bulk *b;
        DBM_SAVEPOINT(s) {
            OK(dbm_bulk_begin_opt(s, &b, "nowhere", "a", .each_row = 1));
            OK(dbm_bulk_row(b, 1));
            assert_int_equal(dbm_bulk_end(b), DBM_E_SQL);
        }
        OK(dbm_clear_error(s));
        OK(dbm_bulk_begin_opt(s, &b, "singles", "a", .each_row = 1));
        for (way = 0; way < 300; way++) OK(dbm_bulk_row(b, 2000000 + way));
        OK(dbm_bulk_abandon(b));
        OK(dbm_exec(s, "INSERT INTO singles VALUES (3000000)"));
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    assert_int_equal(raw_number("SELECT count(*) FROM singles WHERE a >= 2000000"), 1);
}

/* A failure says where the row was passed, and what was asked. */
static void failures_say_where(void **state) {
    dbm_bulk *b;
    int line;
    char place[64];
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS places; CREATE TABLE places (a int, \"order\" int)");
    assert_int_equal(dbm_bulk_begin(db, &b, "places", "a,order"), DBM_E_SQL);
    if (strstr(dbm_last_error()->message, "SELECT a, order FROM places") == NULL) fail_msg("%s", dbm_last_error()->message);
    OK(dbm_bulk_begin(db, &b, "places", "a"));
    OK(dbm_bulk_row(b, 1));
    assert_int_equal(dbm_bulk_row(b, "no number"), DBM_E_RANGE); line = __LINE__;
    (void)snprintf(place, sizeof place, "test_postgresql_bulk.c:%d", line);
    if (strstr(dbm_last_error()->site, place) == NULL) fail_msg("%s", dbm_last_error()->site);
    assert_int_equal(dbm_bulk_end(b), DBM_E_RANGE);
}

/* ---- cancels, deadlines, dying servers ------------------------------------------------------------------------------------------------ */

typedef struct canceller { pthread_t thread; dbm_session s; long ms; } canceller;
static void *cancel_later(void *ud) {
    canceller *c = (canceller *)ud;
    test_pause_ms(c->ms);
    (void)dbm_cancel(&c->s);
    return NULL;
}

static void slow_table(void) {
    (void)raw_text("DROP TABLE IF EXISTS slow; CREATE TABLE slow (id int, t text); CREATE OR REPLACE FUNCTION slow() RETURNS trigger AS $$ BEGIN "
                   "IF NEW.id = 77 THEN PERFORM pg_sleep(30); END IF; IF NEW.id = 78 THEN PERFORM pg_sleep(0.5); END IF; RETURN NEW; END $$ LANGUAGE plpgsql; "
                   "CREATE TRIGGER slow BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION slow()");
}

/* The server stops to read for a while; nothing is lost by that, and little is kept meanwhile. */
static void a_server_that_pauses(void **state) {
    static char text[1001];
    dbm_bulk *b;
    long i, before = 0;
    (void)state;
    memset(text, 't', 1000);
    slow_table();
    OK(dbm_bulk_begin(db, &b, "slow", "id,t"));
    for (i = 0; i < 20000; i++) {
        OK(dbm_bulk_row(b, i == 10 ? 78 : 1, text));
        if (i == 1000) before = resident_kb();
    }
    if (!SANITIZED && resident_kb() - before > 2048) fail_msg("%ld KB more", resident_kb() - before);
    OK(dbm_bulk_end(b));
    assert_int_equal(raw_number("SELECT count(*) FROM slow"), 20000);
}

static void cancels_and_deadlines(void **state) {
    static char text[1001];
    int way;
    (void)state;
    memset(text, 't', 1000);
    slow_table();
    for (way = 0; way < 4; way++) { /* while rows are sent, and while the end is waited for; a deadline, and a cancel */
        dbm_status rc;
        canceller c;
        long i, pid = backend(), began = test_now_ms();
        DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = way < 2 ? 300 : 0, .status = &rc) {
            dbm_bulk *b;
            dbm_status st = DBM_OK;
            memset(&c, 0, sizeof c);
            c.s = *s;
            c.ms = 300;
            if (way >= 2) assert_int_equal(pthread_create(&c.thread, NULL, cancel_later, &c), 0);
            OK(dbm_exec(s, "INSERT INTO slow VALUES (-1, 'before')"));
            OK(dbm_bulk_begin(s, &b, "slow", "id,t"));
            for (i = 0; i < (way % 2 == 0 ? 50000 : 10) && st == DBM_OK; i++) st = dbm_bulk_row(b, i == 3 ? 77 : 1, text);
            assert_int_equal(st, way % 2 == 1 ? DBM_OK : way < 2 ? DBM_E_TIMEOUT : DBM_E_CANCELLED);
            assert_int_equal(dbm_bulk_end(b), way < 2 ? DBM_E_TIMEOUT : DBM_E_CANCELLED);
        }
        if (way >= 2) assert_int_equal(pthread_join(c.thread, NULL), 0);
        assert_int_equal(rc, way < 2 ? DBM_E_TIMEOUT : DBM_E_CANCELLED);
        if (test_now_ms() - began > 2500) fail_msg("way %d: %ld ms", way, test_now_ms() - began);
        assert_int_equal(raw_number("SELECT count(*) FROM slow"), 0);
        assert_int_equal(backend(), pid); /* the connection is as good as before */
    }
}

static void a_server_that_dies(void **state) {
    int way;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS d; CREATE TABLE d (id int, t text)");
    for (way = 0; way < 3; way++) { /* between rows; before the end; and as it is dropped */
        dbm_status rc, st = DBM_OK;
        char sql[96];
        long i, pid = backend();
        (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%ld)", pid);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_bulk *b;
            OK(dbm_exec(s, "INSERT INTO d VALUES (-1, 'before')"));
            OK(dbm_bulk_begin(s, &b, "d", "id,t"));
            for (i = 0; i < 20000; i++) OK(dbm_bulk_row(b, i, "a row that is sent before"));
            (void)raw_text(sql);
            test_pause_ms(100);
            for (i = 0; i < 100000 && way == 0 && st == DBM_OK; i++) st = dbm_bulk_row(b, i, "a row that is sent behind");
            if (way == 0) assert_int_equal(st, DBM_E_LOST);
            if (way == 2) (void)dbm_bulk_abandon(b);
            else assert_int_equal(dbm_bulk_end(b), DBM_E_LOST);
            if (way < 2) assert_non_null(strstr(dbm_last_error()->message, "terminating connection"));
        }
        assert_int_equal(rc, DBM_E_LOST);
        assert_int_equal(raw_number("SELECT count(*) FROM d"), 0);
        assert_int_not_equal(backend(), pid);
    }
    /* Under the first bulk of a session nothing can have been done yet: another connection takes it. */
    {
        char sql[96];
        dbm_bulk *b;
        (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%ld)", backend());
        (void)raw_text(sql);
        test_pause_ms(100);
        OK(dbm_bulk_begin(db, &b, "d", "id"));
        OK(dbm_bulk_row(b, 1));
        OK(dbm_bulk_end(b));
        assert_int_equal(raw_number("SELECT count(*) FROM d"), 1);
    }
}

static void over_tls(void **state) {
    char url[SERVERS_TEXT];
    dbm_config config;
    dbm_bulk *b;
    dbm_status st = DBM_OK;
    long i;
    (void)state;
    (void)snprintf(url, sizeof url, "%s?sslmode=require", fresh.url);
    memset(&config, 0, sizeof config);
    config.url = url;
    assert_int_equal(close_db(NULL), 0);
    open_with(&config);
    (void)raw_text("DROP TABLE IF EXISTS e; CREATE TABLE e (id int CHECK (id <> 5), t text)");
    OK(dbm_bulk_begin(db, &b, "e", "id,t"));
    for (i = 10; i < MANY; i++) OK(dbm_bulk_row(b, i, "over TLS"));
    OK(dbm_bulk_end(b));
    assert_int_equal(raw_number("SELECT count(*) FROM e"), MANY - 10);
    OK(dbm_bulk_begin(db, &b, "e", "id,t"));
    for (i = 0; i < MANY && st == DBM_OK; i++) st = dbm_bulk_row(b, i, "over TLS");
    assert_int_equal(dbm_bulk_end(b), DBM_E_CONSTRAINT);
    assert_non_null(strstr(dbm_last_error()->message, "row 5 of the bulk"));
    i = 0;
    DBM_EACH(db, row, "COPY (SELECT g FROM generate_series(1, 50000) g) TO STDOUT") i += dbm_row_text(row, 0)[0] != '\0';
    assert_int_equal(i, 50000);
}

static void no_memory_for_it(void **state) {
    long n;
    bool failed = true;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS m; CREATE TABLE m (id int, t text, x numeric)");
    (void)backend();
    for (n = 1; failed && n < 200; n++) {
        dbm_status rc;
        char large[100001];
        memset(large, 'x', sizeof large - 1);
        large[sizeof large - 1] = '\0';
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            dbm_bulk *b;
            test_heap_fail(&heap, n);
            if (dbm_bulk_begin(s, &b, "m", "id,t,x") == DBM_OK) {
                (void)dbm_bulk_row(b, 1, large, dbm_decimal("1.5"));
                (void)dbm_bulk_end(b);
            }
            failed = heap.failed != 0;
            heap.failed = 0;
            test_heap_fail(&heap, 0);
        }
        if (rc != DBM_OK) assert_int_equal(rc, DBM_E_NOMEM);
        assert_int_equal(raw_number("SELECT count(*) FROM m"), rc == DBM_OK);
        (void)raw_text("TRUNCATE m");
    }
    assert_false(failed);
    assert_true(n > 3);
}

/* ---- COPY ... TO STDOUT -------------------------------------------------------------------------------------------------------------- */

static void rows_of_copy(void **state) {
    int way;
    (void)state;
    for (way = 0; way < 4; way++) { /* in a transaction that has begun, or begins with it; alone; read only */
        dbm_status rc;
        int run;
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 2, .read_only = way == 3, .status = &rc) {
            dbm_row *row;
            dbm_rows *rows;
            if (way == 0) OK(dbm_query_one(s, &row, "SELECT 1"));
            for (run = 0; run < 4; run++) {
                int n = 0;
                DBM_EACH(s, r, "COPY (SELECT g, CASE WHEN g = 2 THEN NULL ELSE 'x,' || g END FROM generate_series(1, 3) g) TO STDOUT (FORMAT csv)") {
                    static const char *const lines[] = { "1,\"x,1\"\n", "2,\n", "3,\"x,3\"\n" };
                    assert_string_equal(dbm_row_name(r, 0), "data");
                    assert_int_equal(dbm_row_columns(r), 1);
                    assert_int_equal(dbm_row_value(r, 0).type, DBM_TYPE_BLOB);
                    assert_true(n < 3);
                    assert_string_equal(dbm_row_text(r, 0), lines[n++]);
                }
                assert_int_equal(n, 3);
                OK(dbm_query(s, &rows, "copy (SELECT 1 WHERE false) to stdout")); /* without rows */
                assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
                dbm_rows_end(rows);
                OK(dbm_query_one(s, &row, "COPY (SELECT E'TO \\'STDIN', $q$') FROM STDIN$q$ FROM generate_series(1, 2000)) TO STDOUT"));
                assert_string_equal(dbm_row_text(row, 0), "TO 'STDIN\t') FROM STDIN\n");
            }
        }
        if (rc != DBM_OK) fail_msg("way %d: %s", way, dbm_last_error()->message);
    }
    { /* binary: its first message is the header */
        dbm_row *row;
        const void *data;
        size_t size;
        DBM_SESSION(mgr, NULL, s) {
            OK(dbm_query_one(s, &row, "COPY (SELECT 1::int) TO STDOUT (FORMAT binary)"));
            data = dbm_row_blob(row, 0, &size);
            assert_true(size >= 19);
            assert_memory_equal(data, "PGCOPY\n\377\r\n", 11);
        }
    }
    { /* what it does is done though its rows were not read */
        dbm_status rc;
        (void)raw_text("DROP TABLE IF EXISTS w; CREATE TABLE w (a int)");
        DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, r, "COPY (INSERT INTO w SELECT g FROM generate_series(1, 5000) g RETURNING a) TO STDOUT") { (void)r; break; }
        assert_int_equal(rc, DBM_OK);
        assert_int_equal(raw_number("SELECT count(*) FROM w"), 5000);
        DBM_EACH(db, r, "COPY (INSERT INTO w SELECT g FROM generate_series(1, 5000) g RETURNING a) TO STDOUT") { (void)r; break; }
        assert_int_equal(raw_number("SELECT count(*) FROM w"), 10000);
    }
}

static void copy_in_constant_memory_and_left_early(void **state) {
    dbm_status rc;
    int way;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS w; CREATE TABLE w (a int)");
    for (way = 0; way < 2; way++) { /* in a transaction, alone */
        long n = 0, before = 0, most = 0, began;
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 1, .status = &rc) {
            DBM_EACH(s, r, "COPY (SELECT g, repeat('x', 200) FROM generate_series(1, 200000) g) TO STDOUT") {
                (void)r;
                n++;
                if (n == 5000) before = resident_kb();
                if (n % 20000 == 0 && resident_kb() > most) most = resident_kb();
            }
        }
        assert_int_equal(rc, DBM_OK);
        assert_int_equal(n, 200000);
        if (!SANITIZED && most - before > 2048) fail_msg("way %d: %ld KB more", way, most - before);
        began = test_now_ms();
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 1, .status = &rc) {
            OK(dbm_exec(s, "INSERT INTO w VALUES (?)", way));
            DBM_EACH(s, r, way == 0 ? "COPY (SELECT g FROM generate_series(1, 300000) g) TO STDOUT" : "COPY (SELECT generate_series(1, 100000000)) TO STDOUT") { (void)r; break; }
            OK(dbm_exec(s, "INSERT INTO w VALUES (?)", way + 10));
        }
        if (rc != DBM_OK) fail_msg("way %d: %s", way, dbm_last_error()->message);
        if (test_now_ms() - began > 5000) fail_msg("way %d: %ld ms", way, test_now_ms() - began);
    }
    assert_int_equal(raw_number("SELECT count(*) FROM w"), 4);
}

static void statements_inside_of_copy(void **state) {
    dbm_status rc;
    dbm_config config;
    int64_t n = 0;
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS w; CREATE TABLE w (a int)");
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, r, "COPY (SELECT g FROM generate_series(1, 1000) g) TO STDOUT") {
            char text[16];
            (void)snprintf(text, sizeof text, "%s", dbm_row_text(r, 0));
            OK(dbm_exec(s, "INSERT INTO w VALUES (?::int)", strtol(text, NULL, 10)));
            assert_string_equal(dbm_row_text(r, 0), text); /* the row in hand stays */
            DBM_EACH(s, inner, "COPY (SELECT 1) TO STDOUT") n += dbm_row_text(inner, 0)[0] == '1';
        }
    }
    if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    assert_int_equal(n, 1000);
    assert_int_equal(raw_number("SELECT sum(a) FROM w"), 500500);
    /* Rows fail in their midst. */
    n = 0;
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, r, "COPY (SELECT 100 / (3000 - g) FROM generate_series(1, 4000) g) TO STDOUT") { (void)r; n++; }
    assert_int_equal(rc, DBM_E_SQL);
    assert_int_equal(n, 2999);
    /* More than row_buffer. */
    memset(&config, 0, sizeof config);
    config.row_buffer = 100000;
    assert_int_equal(close_db(NULL), 0);
    open_with(&config);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, r, "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 5000)) TO STDOUT") {
            (void)r;
            (void)dbm_exec(s, "INSERT INTO w VALUES (1)");
        }
    }
    assert_int_equal(rc, DBM_E_LIMIT);
    (void)backend();
}

/* COPY from the program by the wrong call: an error that says which is the right one, and no hang. */
static void copy_in_as_a_statement(void **state) {
    static const char *const texts[] = { "COPY w FROM STDIN", "copy w (a) from stdin (format binary)", "/* x */ COPY public.w(a) FROM STDIN", "COPY \"w\"FROM STDIN WITH CSV", "COPY w\nFROM\nstdout",
        "COPY w /* it's */ FROM/**/STDIN", "COPY w -- it's\n FROM STDIN", "COPY \"from\".w FROM STDIN" };
    dbm_row *row;
    size_t i;
    long pid = backend();
    (void)state;
    (void)raw_text("DROP TABLE IF EXISTS w; CREATE TABLE w (a int)");
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(dbm_exec(db, texts[i]), DBM_E_UNSUPPORTED);
        assert_non_null(strstr(dbm_last_error()->message, "dbm_bulk_begin"));
        DBM_SESSION(mgr, NULL, s) assert_int_equal(dbm_query_one(s, &row, texts[i]), DBM_E_UNSUPPORTED);
    }
    assert_int_equal(backend(), pid);
    DBM_SESSION(mgr, NULL, s) {
        assert_int_equal(dbm_script(s, "SELECT 1; COPY w FROM STDIN; SELECT 2"), DBM_E_UNSUPPORTED);
        assert_non_null(strstr(dbm_last_error()->message, "dbm_bulk_begin"));
    }
    (void)backend();
    assert_int_equal(dbm_exec(db, "COPY no_such FROM '/no/such/STDIN'"), DBM_E_SQL); /* a file of the server's */
    OK(dbm_exec(db, "COPY (SELECT 1) TO STDOUT")); /* rows that nobody asked for */
}

#if !defined(DBM__PG_NO_PIPELINE)
static void round_trips(void **state) {
    proxy between;
    char url[SERVERS_TEXT];
    dbm_config config;
    long before;
    int run;
    const char *port = strrchr(fresh.url, ':');
    (void)state;
    proxy_start(&between, (int)strtol(port + 1, NULL, 10));
    (void)snprintf(url, sizeof url, "%.*s:%d%s", (int)(port - fresh.url), fresh.url, between.port, strchr(port, '/'));
    memset(&config, 0, sizeof config);
    config.url = url;
    config.tls = DBM_TLS_OFF;
    assert_int_equal(close_db(NULL), 0);
    open_with(&config);
    (void)raw_text("DROP TABLE IF EXISTS trips; CREATE TABLE trips (a int)");
    for (run = 0; run < 3; run++) {
        dbm_bulk *b;
        before = proxy_turns(&between);
        DBM_SESSION(mgr, NULL, s) {
            OK(dbm_bulk_begin(s, &b, "trips", "a"));
            OK(dbm_bulk_row(b, 1));
            OK(dbm_bulk_end(b));
        }
        assert_int_equal(proxy_turns(&between) - before, 4); /* BEGIN and the types, COPY, its rows, COMMIT */
        before = proxy_turns(&between);
        DBM_SESSION(mgr, NULL, s) DBM_EACH(s, r, "COPY trips TO STDOUT") (void)r;
        assert_int_equal(proxy_turns(&between) - before, 3);
        before = proxy_turns(&between);
        DBM_EACH(db, r, "COPY trips TO STDOUT") (void)r;
        assert_int_equal(proxy_turns(&between) - before, 1);
    }
    assert_int_equal(close_db(NULL), 0);
    proxy_stop(&between);
}
#endif

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, open_db, close_db)
    const struct CMUnitTest tests[] = {
        T(values_are_those_of_insert),
        T(zones_of_the_session),
        T(columns_that_change),
        T(names_and_rights),
        T(many_rows),
        T(large_rows),
        T(rows_that_fail),
        T(abandoned_and_left),
        T(failures_are_heard_early),
        T(a_server_that_pauses),
        T(rows_by_themselves),
        T(failures_say_where),
        T(cancels_and_deadlines),
        T(a_server_that_dies),
        T(over_tls),
        T(no_memory_for_it),
        T(rows_of_copy),
        T(copy_in_constant_memory_and_left_early),
        T(statements_inside_of_copy),
        T(copy_in_as_a_statement),
#if !defined(DBM__PG_NO_PIPELINE)
        T(round_trips),
#endif
    };
    return cmocka_run_group_tests_name("postgresql_bulk", tests, make_fresh, drop_fresh);
}
