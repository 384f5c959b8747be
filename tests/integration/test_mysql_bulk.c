/* Rows in bulk against a real MariaDB, each test both ways: by arrays, and by INSERTs of many rows, which is what servers and clients without arrays get. */
/* cc: -Wl,--wrap=mariadb_get_infov */
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "servers/test_mysql.h"
#include "proxy.h"
#include <math.h>

static bool many; /* the server's word that it takes arrays is not heard */

#if MARIADBS_CLIENT
/* What dbm.h asks, with its one argument. */
my_bool STDCALL __wrap_mariadb_get_infov(MYSQL *mysql, enum mariadb_value value, void *arg, ...);
my_bool STDCALL __real_mariadb_get_infov(MYSQL *mysql, enum mariadb_value value, void *arg, ...);
my_bool STDCALL __wrap_mariadb_get_infov(MYSQL *mysql, enum mariadb_value value, void *arg, ...) {
    my_bool failed = __real_mariadb_get_infov(mysql, value, arg);
    if (many && value == MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES) *(unsigned long *)arg = 0;
    return failed;
}
#endif

#define BOTH_WAYS for (many = false, clean();; many = true, clean())
#define BOTH_WAYS_END if (many) break

static int setup(void **state) {
    (void)state;
    servers_fresh(&fx.server, "mysql");
    open_both();
    OK(dbm_exec(fx.db, "CREATE TABLE t(a BIGINT PRIMARY KEY, b VARCHAR(100) NOT NULL, c DOUBLE) ENGINE=InnoDB"));
    OK(dbm_exec(fx.db, "CREATE TABLE big(a INT, b LONGBLOB) ENGINE=InnoDB"));
    OK(dbm_exec(fx.db, "CREATE TABLE kinds(id INT PRIMARY KEY, tiny TINYINT, small SMALLINT, u BIGINT UNSIGNED, f FLOAT, d DOUBLE, flag BOOL, dec_ DECIMAL(30,10), "
                       "txt TEXT, bin BLOB, at DATETIME(6), doc JSON, who UUID, free_ VARCHAR(60)) ENGINE=InnoDB"));
    return 0;
}

static void clean(void) {
    OK(dbm_exec(fx.db, "TRUNCATE TABLE t"));
    OK(dbm_exec(fx.db, "TRUNCATE TABLE big"));
    OK(dbm_exec(fx.db, "TRUNCATE TABLE kinds"));
}

/* ---- values -------------------------------------------------------------------------------------------------------------------- */

#define KINDS "id, tiny, small, u, f, d, flag, dec_, txt, bin, at, doc, who, free_"
static const int64_t noon = INT64_C(1709208000123456); /* 2024-02-29 12:00:00.123456 */

static void check_kinds(int id, const char *free_text) {
    DBM_SESSION_ON(fx.db, s) {
        dbm_row *r;
        size_t size;
        OK(dbm_query_one(s, &r, "SELECT " KINDS " FROM kinds WHERE id = ?", id));
        assert_int_equal(dbm_row_int(r, 1), -128);
        assert_int_equal(dbm_row_int(r, 2), -32000);
        assert_true(dbm_row_uint(r, 3) == UINT64_MAX);
        assert_true(dbm_row_double(r, 4) == 1.5 && dbm_row_double(r, 5) == 1e300);
        assert_true(dbm_row_bool(r, 6));
        assert_string_equal(dbm_row_text(r, 7), "12345678901234567890.0000000001");
        assert_string_equal(dbm_row_text(r, 8), "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f ' \\ \"");
        assert_memory_equal(dbm_row_blob(r, 9, &size), "\0\xff'\\", 4);
        assert_int_equal(size, 4);
        assert_true(dbm_row_timestamp(r, 10) == noon);
        assert_string_equal(dbm_row_text(r, 11), "{\"a\": 1}");
        assert_string_equal(dbm_row_text(r, 12), "123e4567-e89b-12d3-a456-426614174000");
        assert_string_equal(dbm_row_text(r, 13), free_text);
    }
}
static void check_nulls(int id) {
    DBM_SESSION_ON(fx.db, s) {
        dbm_row *r;
        int i;
        OK(dbm_query_one(s, &r, "SELECT " KINDS " FROM kinds WHERE id = ?", id));
        for (i = 1; i < 14; i++) assert_true(dbm_row_is_null(r, i));
    }
}

static void test_values(void **state) {
    const char *text = "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f ' \\ \"", *number_text = "12345678901234567890.0000000001", *uuid = "123e4567-e89b-12d3-a456-426614174000";
    (void)state;
    BOTH_WAYS {
        dbm_bulk *b;
        int i;
        OK(dbm_bulk_begin(fx.db, &b, "kinds", KINDS));
        for (i = 0; i < 4; i++) { /* NULLs first, last and between; the type of free_ changes from row to row */
            dbm_value free_value = i == 1 ? dbm_int(-7) : dbm_text("some text");
            if (i % 2 == 0) OK(dbm_bulk_row(b, i, dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(), dbm_null(),
                                            dbm_null(), dbm_null(), dbm_null(), dbm_null()));
            else OK(dbm_bulk_row(b, i, -128, -32000, UINT64_MAX, 1.5, 1e300, true, dbm_decimal(number_text), text, dbm_blob("\0\xff'\\", 4), dbm_timestamp(noon),
                                 dbm_json("{\"a\": 1}"), dbm_uuid(uuid), free_value));
        }
        OK(dbm_bulk_row(b, 9, 1, 1, 1, 1.0, 1.0, false, dbm_null(), "", dbm_blob("", 0), dbm_null(), dbm_null(), dbm_null(), 2.5));
        OK(dbm_bulk_end(b));
        check_nulls(0);
        check_kinds(1, "-7");
        check_nulls(2);
        check_kinds(3, "some text");
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM kinds WHERE id = 9 AND txt = '' AND bin = '' AND free_ = '2.5'"), 1);
        BOTH_WAYS_END;
    }
}

/* So many that they are sent from where they are, and so few that they are gathered. */
static void test_columns(void **state) {
    enum { ROWS = 3001 };
    static int64_t at[ROWS];
    static int id[ROWS];
    static signed char tiny[ROWS];
    static short small[ROWS];
    static uint64_t u[ROWS];
    static float f[ROWS];
    static double d[ROWS];
    static bool flag[ROWS];
    static const char *dec[ROWS], *txt[ROWS], *doc[ROWS], *who[ROWS];
    static dbm_bytes bin[ROWS];
    static dbm_value frees[ROWS];
    static unsigned char even[ROWS / 8 + 1];
    dbm_column columns[14];
    int i;
    (void)state;
    for (i = 0; i < ROWS; i++) { /* odd rows have values, even ones NULL */
        bool has = i % 2 != 0;
        id[i] = i;
        at[i] = noon;
        tiny[i] = -128;
        small[i] = -32000;
        u[i] = UINT64_MAX;
        f[i] = 1.5f;
        d[i] = 1e300;
        flag[i] = true;
        dec[i] = has ? "12345678901234567890.0000000001" : NULL;
        txt[i] = has ? "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x9f ' \\ \"" : NULL;
        doc[i] = has ? "{\"a\": 1}" : NULL;
        who[i] = has ? "123e4567-e89b-12d3-a456-426614174000" : NULL;
        bin[i].data = (const unsigned char *)(has ? "\0\xff'\\" : NULL);
        bin[i].size = has ? 4 : 0;
        frees[i] = i == 1 ? dbm_int(-7) : has ? dbm_text("some text") : dbm_null(); /* the type changes */
        if (!has) even[i / 8] = (unsigned char)(even[i / 8] | 1u << i % 8);
    }
    columns[0] = DBM_COLUMN(id);
    columns[1] = DBM_COLUMN_NULLS(tiny, even);
    columns[2] = DBM_COLUMN_NULLS(small, even);
    columns[3] = DBM_COLUMN_NULLS(u, even);
    columns[4] = DBM_COLUMN_NULLS(f, even);
    columns[5] = DBM_COLUMN_NULLS(d, even);
    columns[6] = DBM_COLUMN_NULLS(flag, even);
    columns[7] = DBM_COLUMN_AS(DBM_TYPE_DECIMAL, dec);
    columns[8] = DBM_COLUMN(txt);
    columns[9] = DBM_COLUMN_NULLS(bin, even);
    columns[10] = DBM_COLUMN_NULLS(at, even);
    columns[10].type = DBM_TYPE_TIMESTAMP;
    columns[11] = DBM_COLUMN_AS(DBM_TYPE_JSON, doc);
    columns[12] = DBM_COLUMN_AS(DBM_TYPE_UUID, who);
    columns[13] = DBM_COLUMN(frees);
    BOTH_WAYS {
        dbm_bulk *b;
        for (i = 0; i < 2; i++) {
            OK(dbm_exec(fx.db, "DELETE FROM kinds"));
            OK(dbm_bulk_begin(fx.db, &b, "kinds", KINDS));
            OK(dbm_bulk_columns(b, columns, 14, i == 0 ? ROWS : 5));
            OK(dbm_bulk_end(b));
            assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM kinds"), i == 0 ? ROWS : 5);
            check_nulls(0);
            check_kinds(1, "-7");
            check_nulls(2);
            check_kinds(3, "some text");
        }
        check_nulls(4);
        OK(dbm_bulk_begin(fx.db, &b, "kinds", "id"));
        columns[0].data = id + 10;
        OK(dbm_bulk_columns(b, columns, 1, ROWS - 10));
        columns[0].data = id;
        OK(dbm_bulk_end(b));
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM kinds WHERE id >= 10 AND tiny IS NULL"), ROWS - 10);
        BOTH_WAYS_END;
    }
}

/* ---- sizes --------------------------------------------------------------------------------------------------------------------- */

static void test_many_rows(void **state) {
    enum { ROWS = 50000 }; /* twice */
    static int64_t ids[ROWS];
    static const char *names[ROWS];
    static double reals[ROWS];
    int i;
    (void)state;
    for (i = 0; i < ROWS; i++) {
        ids[i] = ROWS + i;
        names[i] = i % 2 == 0 ? "even" : "odd";
        reals[i] = i * 0.5;
    }
    BOTH_WAYS {
        const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(names), DBM_COLUMN(reals) };
        long live = fx.heap.live_bytes, calls = fx.heap.calls;
        fx.heap.peak_bytes = live;
        DBM_SESSION_ON(fx.db, s) {
            dbm_bulk *b;
            OK(dbm_bulk_begin(s, &b, "t", "a,b,c"));
            for (i = 0; i < ROWS; i++) OK(dbm_bulk_row(b, i, "a text of some length that is copied", i * 0.25));
            OK(dbm_bulk_columns(b, columns, 3, ROWS));
            OK(dbm_bulk_row(b, -1, "last", dbm_null()));
            OK(dbm_bulk_end(b));
            assert_int_equal(dbm_affected(s), 2 * ROWS + 1);
        }
        assert_true(fx.heap.peak_bytes - live < 8 * 1048576);
        assert_true(fx.heap.calls - calls < ROWS / 100); /* by the batch, not by the row */
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 2 * ROWS + 1);
        assert_true(number(fx.db, "SELECT CAST(SUM(a) AS SIGNED) FROM t WHERE a >= 0") == INT64_C(2) * ROWS * (2 * ROWS - 1) / 2);
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t WHERE b = 'odd' AND c = (a - 50000) * 0.5"), ROWS / 2);
        BOTH_WAYS_END;
    }
}

static void test_large_rows(void **state) {
    size_t size = 15 * 1024 * 1024;
    char *bytes = (char *)malloc(17 * 1024 * 1024);
    (void)state;
    memset(bytes, 0xe9, 17 * 1024 * 1024);
    BOTH_WAYS {
        dbm_bulk *b;
        int i;
        DBM_SESSION_ON(fx.db, s) {
            OK(dbm_bulk_begin(s, &b, "big", "a,b"));
            for (i = 0; i < 9; i++) OK(dbm_bulk_row(b, i, dbm_blob(bytes, i == 4 ? size : i == 6 ? 900000 : 10)));
            OK(dbm_bulk_end(b));
        }
        assert_true(number(fx.db, "SELECT SUM(LENGTH(b)) FROM big") == (int64_t)size + 900000 + 70);
        DBM_SESSION_ON(fx.db, s) { /* larger than a message: only that row is in the way */
            OK(dbm_bulk_begin(s, &b, "big", "a,b"));
            OK(dbm_bulk_row(b, 1, "x"));
            OK(dbm_bulk_row(b, 2, "x"));
            IS(dbm_bulk_row(b, 3, dbm_blob(bytes, 17 * 1024 * 1024)), DBM_E_LIMIT);
            says("row 2 of the bulk");
            says("max_allowed_packet");
            IS(dbm_bulk_end(b), DBM_E_LIMIT);
            OK(dbm_clear_error(s));
            assert_int_equal(number_of(s, "SELECT COUNT(*) FROM big"), 9);
        }
        BOTH_WAYS_END;
    }
    free(bytes);
}

static void test_small_packets(void **state) {
    servers_own own;
    servers_database server;
    char text[60000];
    (void)state;
    memset(text, 'x', sizeof text);
    servers_start(&own, "mysql", "--set", "max-allowed-packet=65536", (const char *)NULL);
    servers_fresh_on(&server, &own);
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "small", .url = server.url)));
    OK(dbm_exec(dbm_get(fx.mgr, "small"), "CREATE TABLE t(a INT, b MEDIUMTEXT) ENGINE=InnoDB"));
    for (many = false;; many = true) {
        DBM_SESSION(fx.mgr, "small", s) {
            dbm_bulk *b;
            int i;
            OK(dbm_exec(s, "DELETE FROM t"));
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            for (i = 0; i < 3000; i++) OK(dbm_bulk_row(b, i, dbm_textn(text, i % 500 == 0 ? sizeof text : (size_t)(i % 50))));
            OK(dbm_bulk_end(b));
            assert_int_equal(dbm_affected(s), 3000);
        }
        assert_true(number(dbm_get(fx.mgr, "small"), "SELECT SUM(LENGTH(b)) FROM t") == 6 * 60000 + 3000 / 50 * 1225);
        if (many) break;
    }
    servers_drop(&server);
    servers_remove(&own);
}

/* ---- failures ------------------------------------------------------------------------------------------------------------------ */

static void test_failing_row(void **state) {
    (void)state;
    BOTH_WAYS {
        int64_t ids[6000];
        const char *names[6000];
        dbm_column columns[2];
        dbm_bulk *b;
        int i;
        DBM_SESSION_ON(fx.db, s) {
            OK(dbm_exec(s, "INSERT INTO t VALUES (7777, 'before', NULL)"));
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            for (i = 0; i < 9000; i++) if (dbm_bulk_row(b, i, "x") != DBM_OK) break;
            if (i == 9000) IS(dbm_bulk_end(b), DBM_E_CONSTRAINT);
            else IS(dbm_bulk_abandon(b), DBM_OK);
            IS(dbm_status_of(s), DBM_E_CONSTRAINT);
            OK(dbm_clear_error(s)); /* it left nothing */
            assert_int_equal(number_of(s, "SELECT COUNT(*) FROM t"), 1);
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            OK(dbm_bulk_row(b, 1, "after"));
            OK(dbm_bulk_end(b));
        }
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t WHERE b IN ('before', 'after')"), 2);
        /* Which row it was: the first batch or a later one, a key or a NULL, by rows or by arrays. */
        for (i = 0; i < 6000; i++) {
            ids[i] = i + 10000;
            names[i] = i == 5432 ? NULL : "x";
        }
        columns[0] = DBM_COLUMN(ids);
        columns[1] = DBM_COLUMN(names);
        OK(dbm_bulk_begin(fx.db, &b, "t", "a,b"));
        if (dbm_bulk_columns(b, columns, 2, 6000) == DBM_OK) IS(dbm_bulk_end(b), DBM_E_CONSTRAINT);
        else IS(dbm_bulk_end(b), DBM_E_CONSTRAINT);
        says("row 5432 of the bulk");
        assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_NOT_NULL);
        OK(dbm_bulk_begin(fx.db, &b, "t", "a,b"));
        for (i = 0; i < 100; i++) OK(dbm_bulk_row(b, i == 42 ? 7777 : 20000 + i, "x"));
        IS(dbm_bulk_end(b), DBM_E_CONSTRAINT);
        says("row 42 of the bulk");
        says("for t: ");
        assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_PRIMARY_KEY);
        /* What is refused before it is sent. */
        OK(dbm_bulk_begin(fx.db, &b, "t", "a,b,c"));
        OK(dbm_bulk_row(b, 30000, "x", 1.0));
        IS(dbm_bulk_row(b, 30001, "x", HUGE_VAL), DBM_E_RANGE);
        says("row 1 of the bulk");
        says("column c");
        IS(dbm_bulk_end(b), DBM_E_RANGE);
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 2);
        BOTH_WAYS_END;
    }
}

static void test_abandoned(void **state) {
    (void)state;
    BOTH_WAYS {
        dbm_bulk *b;
        dbm_status rc;
        int i;
        DBM_SESSION_ON(fx.db, s) {
            OK(dbm_exec(s, "INSERT INTO t VALUES (-1, 'kept', NULL)"));
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            for (i = 0; i < 10000; i++) OK(dbm_bulk_row(b, i, "x"));
            OK(dbm_bulk_abandon(b));
            assert_int_equal(number_of(s, "SELECT COUNT(*) FROM t"), 1);
        }
        DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            for (i = 0; i < 10000; i++) OK(dbm_bulk_row(b, i, "x"));
            break;
        }
        IS(rc, DBM_E_LEFT_EARLY);
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 1);
        BOTH_WAYS_END;
    }
}

typedef struct later { dbm_session session; pthread_t thread; } later;
static void *cancel_later(void *ud) {
    dbm__sleep_us(200000);
    (void)dbm_cancel(&((later *)ud)->session);
    return NULL;
}

/* A bulk that waits for a lock; its connection is as good as before. */
static void test_cancel(void **state) {
    (void)state;
    BOTH_WAYS {
        dbm_session holder;
        dbm_status rc;
        int64_t id = number(fx.db, "SELECT CONNECTION_ID()");
        OK(dbm_session_begin(fx.other, NULL, &holder));
        OK(dbm_exec(&holder, "INSERT INTO t VALUES (5, 'held', NULL)"));
        DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
            later l;
            dbm_bulk *b;
            int i;
            l.session = *s;
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            for (i = 0; i < 10; i++) OK(dbm_bulk_row(b, i, "x"));
            assert_int_equal(pthread_create(&l.thread, NULL, cancel_later, &l), 0);
            IS(dbm_bulk_end(b), DBM_E_CANCELLED);
            (void)pthread_join(l.thread, NULL);
        }
        IS(rc, DBM_E_CANCELLED);
        OK(dbm_commit(&holder));
        OK(dbm_session_end(&holder));
        assert_true(number(fx.db, "SELECT CONNECTION_ID()") == id);
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 1);
        BOTH_WAYS_END;
    }
}

static void test_lost(void **state) {
    (void)state;
    BOTH_WAYS {
        dbm_status rc;
        DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
            dbm_bulk *b;
            char sql[60];
            int i;
            (void)snprintf(sql, sizeof sql, "KILL %ld", (long)number_of(s, "SELECT CONNECTION_ID()"));
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            for (i = 0; i < 5000; i++) OK(dbm_bulk_row(b, i, "x"));
            OK(dbm_exec(fx.other, sql));
            while (i < 20000 && dbm_bulk_row(b, i, "x") == DBM_OK) i++;
            IS(dbm_bulk_end(b), DBM_E_LOST);
        }
        IS(rc, DBM_E_LOST);
        assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 0);
        BOTH_WAYS_END;
    }
}

/* A reset makes the server forget the INSERT that was prepared. */
static void test_after_reset(void **state) {
    int i;
    (void)state;
    many = false;
    clean();
    for (i = 0; i < 3; i++) {
        DBM_SESSION_ON(fx.db, s) {
            dbm_bulk *b;
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            OK(dbm_bulk_row(b, i, "x"));
            OK(dbm_bulk_end(b));
            assert_non_null(dbm_native(s, "mysql"));
        }
    }
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 3);
    /* The INSERT serves single rows as before, and bulk again. */
    DBM_SESSION_ON(fx.db, s) {
        dbm_bulk *b;
        OK(dbm_bulk_begin(s, &b, "t", "a,b"));
        for (i = 0; i < 10; i++) OK(dbm_bulk_row(b, 10 + i, "x"));
        OK(dbm_bulk_end(b));
        OK(dbm_exec(s, "INSERT INTO t (a, b) VALUES (?, ?)", "30", "y"));
        OK(dbm_exec(s, "INSERT INTO t (a, b) VALUES (?, ?)", 31, "y"));
        OK(dbm_bulk_begin(s, &b, "t", "a,b"));
        OK(dbm_bulk_row(b, 32, "y"));
        OK(dbm_bulk_end(b));
        OK(dbm_exec(s, "INSERT INTO t (a, b) VALUES (?, ?)", 33, "y"));
    }
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t WHERE b = 'y' AND a BETWEEN 30 AND 33"), 4);
}

/* One turn for each batch of 4,096 rows, and the commit. */
static void test_round_trips(void **state) {
    proxy p;
    char url[1024], *at;
    long before = 0;
    int i, round;
    (void)state;
    many = false;
    clean();
    proxy_start(&p, atoi(servers_variable("DBM_TEST_MYSQL_PORT")));
    (void)snprintf(url, sizeof url, "%s", fx.server.url);
    at = strstr(url, servers_variable("DBM_TEST_MYSQL_PORT"));
    (void)snprintf(at, sizeof url - (size_t)(at - url), "%d%s", p.port, strchr(strstr(fx.server.url, "://") + 3, '/'));
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "counted", .url = url)));
    for (round = 0; round < 2; round++) {
        OK(dbm_exec(fx.db, "TRUNCATE TABLE t"));
        before = proxy_turns(&p);
        DBM_SESSION(fx.mgr, "counted", s) {
            dbm_bulk *b;
            OK(dbm_bulk_begin(s, &b, "t", "a,b"));
            for (i = 0; i < 10000; i++) OK(dbm_bulk_row(b, i, "x"));
            OK(dbm_bulk_end(b));
        }
    }
#if MARIADBS_CLIENT
    assert_int_equal(proxy_turns(&p) - before, 4);
#else
    assert_in_range(proxy_turns(&p) - before, 4, 12);
#endif
    proxy_stop(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_columns), cmocka_unit_test(test_many_rows), cmocka_unit_test(test_large_rows),
        cmocka_unit_test(test_small_packets), cmocka_unit_test(test_failing_row), cmocka_unit_test(test_abandoned), cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_lost), cmocka_unit_test(test_after_reset), cmocka_unit_test(test_round_trips),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
