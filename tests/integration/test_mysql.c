/* The MySQL adapter against a real MariaDB: values, errors, transactions and their locks, rows, statements, configuration. */
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "servers/test_mysql.h"

/* With Oracle's client (tests/mysql_oracle.sh) json and uuid of a MariaDB server are plain texts: the server tells of them in a word of the column's
 * description that this client does not read. */
#define KNOWS_MARIADB_TYPES MARIADBS_CLIENT

static int setup(void **state) {
    (void)state;
    servers_start(&fx.own, "mysql", NULL); /* what the server counts is of this test alone */
    servers_fresh_on(&fx.server, &fx.own);
    open_both();
    OK(dbm_exec(fx.db, "CREATE TABLE users(id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) NOT NULL, email VARCHAR(100), age INT, UNIQUE KEY email(email), "
                       "CONSTRAINT grown CHECK (age >= 0)) ENGINE=InnoDB"));
    OK(dbm_exec(fx.db, "CREATE TABLE pets(id INT PRIMARY KEY, owner BIGINT, CONSTRAINT owned FOREIGN KEY (owner) REFERENCES users(id)) ENGINE=InnoDB"));
    OK(dbm_exec(fx.db, "CREATE TABLE t(a INT PRIMARY KEY, b VARCHAR(100)) ENGINE=InnoDB"));
    return 0;
}

static int clean(void **state) {
    (void)state;
    OK(dbm_exec(fx.db, "DELETE FROM pets"));
    OK(dbm_exec(fx.db, "DELETE FROM users"));
    OK(dbm_exec(fx.db, "DELETE FROM t"));
    return 0;
}

/* How often the server has been asked to do something, by SHOW GLOBAL STATUS. */
static int64_t server_count(const char *what) {
    char sql[120];
    (void)snprintf(sql, sizeof sql, "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status WHERE variable_name = '%s'", what);
    return number(fx.other, sql);
}

static void assert_locked(const char *table) {
    char sql[100];
    (void)snprintf(sql, sizeof sql, "ALTER TABLE %s COMMENT = 'x'", table);
    assert_int_equal(dbm_exec(fx.other, sql), DBM_E_TIMEOUT);
    assert_int_equal(dbm_last_error()->native_code, 1205);
    assert_true(dbm_last_error()->retryable);
}

/* ---- values -------------------------------------------------------------------------------------------------------------------- */

static void test_values(void **state) {
    dbm_row *row;
    (void)state;
    OK(dbm_exec(fx.db, "CREATE TABLE v(id INT PRIMARY KEY, ti TINYINT, tu TINYINT UNSIGNED, si SMALLINT, mi MEDIUMINT, i INT, bi BIGINT, bu BIGINT UNSIGNED, "
                       "bo BOOL, d DOUBLE, f FLOAT, de DECIMAL(30,10), dt DATETIME(6), ts TIMESTAMP(6) NULL, da DATE, ti2 TIME(3), y YEAR, "
                       "bt BIT(64), b1 BIT(1), e ENUM('red','green'), se SET('a','b','c'), tx TEXT, vc VARCHAR(50), bl LONGBLOB, vb VARBINARY(20), js JSON, uu UUID)"));
    OK(dbm_exec(fx.db, "INSERT INTO v(id, ti, tu, si, mi, i, bi, bu, bo, d, f, de, dt, ts, da, ti2, y, bt, b1, e, se) VALUES "
                       "(1, -128, 255, -32768, -8388608, -2147483648, ?, ?, ?, ?, 0.5, ?, ?, ?, '2024-02-29', '-838:59:59', 2155, b'1010', b'1', 'green', 'a,c')",
                INT64_MIN, dbm_uint(UINT64_MAX), true, 0.1 + 0.2, dbm_decimal("12345678901234567890.1234567890"), dbm_timestamp(1709210096789012),
                dbm_timestamp(1709210096000001)));
    OK(dbm_exec(fx.db, "UPDATE v SET tx = ?, vc = ?, bl = ?, vb = ?, js = ?, uu = ? WHERE id = 1", "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 it's \\ \"q\"", "",
                dbm_blob("a\0b\xff", 4), dbm_blob("", 0), dbm_json("{\"k\": [1, null]}"), dbm_uuid("123e4567-e89b-12d3-a456-426614174000")));
    OK(dbm_exec(fx.db, "INSERT INTO v(id) VALUES (2)"));
    DBM_SESSION_ON(fx.db, s) {
        dbm_value v;
        int i;
        OK(dbm_query_one(s, &row, "SELECT * FROM v WHERE id = ?", 1));
        assert_int_equal(dbm_row_columns(row), 27);
        assert_string_equal(dbm_row_name(row, 1), "ti");
        assert_int_equal(dbm_row_int(row, 1), -128);
        assert_int_equal(dbm_row_int(row, 2), 255);
        assert_int_equal(dbm_row_int(row, 3), -32768);
        assert_int_equal(dbm_row_int(row, 4), -8388608);
        assert_int_equal(dbm_row_int(row, 5), INT32_MIN);
        assert_true(dbm_row_int(row, 6) == INT64_MIN);
        v = dbm_row_value(row, 7);
        assert_int_equal(v.type, DBM_TYPE_UINT);
        assert_true(v.as.uinteger == UINT64_MAX);
        v = dbm_row_value(row, 8);
        assert_int_equal(v.type, DBM_TYPE_BOOL);
        assert_true(dbm_row_bool(row, 8));
        assert_true(dbm_row_double(row, 9) == 0.1 + 0.2);
        assert_true(dbm_row_double(row, 10) == 0.5);
        v = dbm_row_value(row, 11);
        assert_int_equal(v.type, DBM_TYPE_DECIMAL);
        assert_string_equal(v.as.text.data, "12345678901234567890.1234567890");
        v = dbm_row_value(row, 12);
        assert_int_equal(v.type, DBM_TYPE_TIMESTAMP);
        assert_true(dbm_row_timestamp(row, 12) == 1709210096789012);
        assert_true(dbm_row_timestamp(row, 13) == 1709210096000001);
        assert_string_equal(dbm_row_text(row, 14), "2024-02-29");
        assert_string_equal(dbm_row_text(row, 15), "-838:59:59.000");
        assert_int_equal(dbm_row_int(row, 16), 2155);
        v = dbm_row_value(row, 17);
        assert_int_equal(v.type, DBM_TYPE_UINT);
        assert_int_equal(v.as.uinteger, 10);
        assert_true(dbm_row_bool(row, 18));
        assert_string_equal(dbm_row_text(row, 19), "green");
        assert_string_equal(dbm_row_text(row, 20), "a,c");
        assert_string_equal(dbm_row_text(row, 21), "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80 it's \\ \"q\"");
        assert_false(dbm_row_is_null(row, 22));
        assert_string_equal(dbm_row_text(row, 22), "");
        v = dbm_row_value(row, 23);
        assert_int_equal(v.type, DBM_TYPE_BLOB);
        assert_int_equal(v.as.text.size, 4);
        assert_memory_equal(v.as.text.data, "a\0b\xff", 4);
        v = dbm_row_value(row, 24);
        assert_int_equal(v.type, DBM_TYPE_BLOB);
        assert_int_equal(v.as.text.size, 0);
        v = dbm_row_value(row, 25);
        assert_int_equal(v.type, KNOWS_MARIADB_TYPES ? DBM_TYPE_JSON : DBM_TYPE_TEXT);
        assert_string_equal(v.as.text.data, "{\"k\": [1, null]}");
        v = dbm_row_value(row, 26);
        assert_int_equal(v.type, KNOWS_MARIADB_TYPES ? DBM_TYPE_UUID : DBM_TYPE_TEXT);
        assert_string_equal(v.as.text.data, "123e4567-e89b-12d3-a456-426614174000");
        OK(dbm_query_one(s, &row, "SELECT * FROM v WHERE id = 2"));
        for (i = 1; i < 27; i++) assert_true(dbm_row_is_null(row, i));
    }
    OK(dbm_exec(fx.db, "DROP TABLE v"));
}

static void test_values_of_expressions(void **state) {
    static const char *const none[] = { "", "1,5", "abc", "12abc", "NaN", "1.5.5", "--1", "1e", "0x10", "1e5.5", "1e5e5", "-", "." }; /* the server would take 0, or a part */
    static const char *const good[] = { "+1.5", "1.5", "-.5", "-0.5", "5.", "5", "1e3", "1000", "1.5E-1", "0.15", "2e+1", "20" };
    dbm_row *row;
    size_t i;
    (void)state;
    DBM_SESSION_ON(fx.db, s) {
        OK(dbm_query_one(s, &row, "SELECT ?, ?, ?, ?, ? + 1, NULL, 18446744073709551615, 1.5, 1e300, -9223372036854775808", 7, "x", 1.25, NULL, dbm_decimal("0.1")));
        assert_int_equal(dbm_row_int(row, 0), 7);
        assert_string_equal(dbm_row_text(row, 1), "x");
        assert_true(dbm_row_double(row, 2) == 1.25);
        assert_true(dbm_row_is_null(row, 3));
        assert_string_equal(dbm_row_text(row, 4), "1.1"); /* a decimal stays one: no 1.1000000000000001 */
        assert_true(dbm_row_is_null(row, 5));
        assert_true(dbm_row_uint(row, 6) == UINT64_MAX);
        assert_true(dbm_row_double(row, 8) == 1e300);
        assert_true(dbm_row_int(row, 9) == INT64_MIN);
        OK(dbm_query_one(s, &row, "SELECT '?' , \"a\\\"?\", `b`.`x?` /* ? */ FROM (SELECT 1 AS `x?`) AS `b` # ?\n WHERE 1 = ? -- ?", 1));
        assert_string_equal(dbm_row_text(row, 1), "a\"?");
    }
    assert_int_equal(dbm_exec(fx.db, "INSERT INTO t(a) VALUES (?)", 1e308 * 10), DBM_E_RANGE);
    says("not a finite number");
    for (i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_int_equal(dbm_exec(fx.db, "SELECT ?", dbm_decimal(none[i])), DBM_E_RANGE);
        says("not a decimal number");
    }
    DBM_SESSION_ON(fx.db, s) {
        for (i = 0; i < sizeof good / sizeof good[0]; i += 2) {
            OK(dbm_query_one(s, &row, "SELECT CAST(? AS DECIMAL(20, 5)) = ?", dbm_decimal(good[i]), dbm_decimal(good[i + 1])));
            assert_int_equal(dbm_row_int(row, 0), 1);
        }
    }
    assert_int_equal(dbm_exec(fx.db, "INSERT INTO t(a) VALUES (?)", dbm_uint(UINT64_MAX)), DBM_E_RANGE);
    assert_int_equal(dbm_last_error()->native_code, 1264);
    assert_int_equal(dbm_exec(fx.db, "SELECT ?", dbm_timestamp(INT64_MAX)), DBM_E_RANGE);
    assert_int_equal(dbm_exec(fx.db, "SELECT ?", dbm_timestamp(INT64_MIN)), DBM_E_RANGE);
    assert_int_equal(dbm_exec(fx.db, "SELECT ?", dbm_timestamp(-62135596800000001)), DBM_E_RANGE); /* of the year 0, which is none when it is read */
}

/* Every microsecond goes there and back, also before 1970. */
static void test_timestamps(void **state) {
    static const int64_t times[] = { 0, -1, 1, 951782400000000, -2208988800000001, 253402300799999999, -62135596800000000, 1709164800000000 };
    size_t i;
    dbm_row *row;
    (void)state;
    OK(dbm_exec(fx.db, "CREATE TABLE times(id INT PRIMARY KEY, t DATETIME(6))"));
    for (i = 0; i < sizeof times / sizeof times[0]; i++) {
        OK(dbm_exec(fx.db, "INSERT INTO times VALUES (?, ?)", (int)i, dbm_timestamp(times[i])));
        DBM_SESSION_ON(fx.db, s) {
            OK(dbm_query_one(s, &row, "SELECT t FROM times WHERE id = ? AND t = ?", (int)i, dbm_timestamp(times[i])));
            if (dbm_row_timestamp(row, 0) != times[i]) fail_msg("%lld came back as %lld", (long long)times[i], (long long)dbm_row_timestamp(row, 0));
        }
    }
    OK(dbm_exec(fx.db, "DROP TABLE times"));
}

static void test_zero_dates(void **state) {
    dbm_row *row;
    dbm_value v;
    (void)state;
    OK(dbm_exec(fx.db, "CREATE TABLE z(dt DATETIME, da DATE, ts TIMESTAMP)"));
    OK(dbm_exec(fx.db, "INSERT INTO z VALUES ('0000-00-00 00:00:00', '2024-00-00', '0000-00-00 00:00:00')"));
    DBM_SESSION_ON(fx.db, s) {
        OK(dbm_query_one(s, &row, "SELECT dt, da, ts FROM z"));
        v = dbm_row_value(row, 0);
        assert_int_equal(v.type, DBM_TYPE_TEXT);
        assert_string_equal(v.as.text.data, "0000-00-00 00:00:00");
        assert_string_equal(dbm_row_text(row, 1), "2024-00-00");
        assert_string_equal(dbm_row_text(row, 2), "0000-00-00 00:00:00");
    }
    DBM_SESSION_ON(fx.db, s) {
        OK(dbm_query_one(s, &row, "SELECT dt FROM z"));
        assert_true(dbm_row_timestamp(row, 0) == 0);
        assert_int_equal(dbm_status_of(s), DBM_E_RANGE);
    }
    OK(dbm_exec(fx.db, "DROP TABLE z"));
}

static void test_time_zone(void **state) {
    dbm_row *row;
    (void)state;
    DBM_SESSION_ON(fx.db, s) {
        OK(dbm_query_one(s, &row, "SELECT @@time_zone, @@character_set_client, @@character_set_results, @@collation_connection, FROM_UNIXTIME(?), @@autocommit", 86400));
        assert_string_equal(dbm_row_text(row, 0), "+00:00");
        assert_string_equal(dbm_row_text(row, 1), "utf8mb4");
        assert_string_equal(dbm_row_text(row, 2), "utf8mb4");
        assert_true(dbm_row_timestamp(row, 4) == (int64_t)86400 * 1000000);
        assert_int_equal(dbm_row_int(row, 5), 0);
    }
    /* A session's own setting is undone before the next one. */
    DBM_SESSION_ON(fx.db, s) OK(dbm_exec(s, "SET time_zone = '+05:00', @x = 1"));
    DBM_SESSION_ON(fx.db, s) {
        OK(dbm_query_one(s, &row, "SELECT @@time_zone, @x, @@autocommit, @@character_set_client"));
        assert_string_equal(dbm_row_text(row, 0), "+00:00");
        assert_true(dbm_row_is_null(row, 1));
        assert_int_equal(dbm_row_int(row, 2), 0);
        assert_string_equal(dbm_row_text(row, 3), "utf8mb4");
    }
}

/* Texts larger than the room that a statement has at first, and its growth. */
static void test_long_texts(void **state) {
    size_t size = 1024 * 1024, i;
    char *text = (char *)malloc(size + 1);
    dbm_row *row;
    int n;
    (void)state;
    for (i = 0; i < size; i++) text[i] = (char)('a' + i % 23);
    text[size] = '\0';
    OK(dbm_exec(fx.db, "CREATE TABLE l(id INT PRIMARY KEY, a LONGTEXT, b LONGBLOB, c VARCHAR(500))"));
    for (n = 1; n <= 5; n++) OK(dbm_exec(fx.db, "INSERT INTO l VALUES (?, ?, ?, ?)", n, n == 3 ? text : "short", dbm_blob(text, (size_t)n * 1000), dbm_textn(text, 500)));
    DBM_SESSION_ON(fx.db, s) {
        n = 0;
        DBM_EACH(s, r, "SELECT id, a, b, c FROM l ORDER BY id") {
            dbm_value b = dbm_row_value(r, 2);
            n++;
            if (n == 3) assert_int_equal(strlen(dbm_row_text(r, 1)), size);
            else assert_string_equal(dbm_row_text(r, 1), "short");
            assert_int_equal(b.as.text.size, (size_t)n * 1000);
            assert_memory_equal(b.as.text.data, text, b.as.text.size);
            assert_int_equal(strlen(dbm_row_text(r, 3)), 500);
        }
        assert_int_equal(n, 5);
        OK(dbm_query_one(s, &row, "SELECT a FROM l WHERE id = 3"));
        assert_memory_equal(dbm_row_text(row, 0), text, size);
    }
    OK(dbm_exec(fx.db, "DROP TABLE l"));
    free(text);
}

/* Once warm, rows and statements allocate nothing. */
static void test_no_allocation(void **state) {
    long before;
    int i;
    (void)state;
    for (i = 0; i < 200; i++) OK(dbm_exec(fx.db, "INSERT INTO t VALUES (?, ?)", i, "some text of a row"));
    DBM_SESSION_ON(fx.db, s) {
        for (i = 0; i < 3; i++) {
            int n = 0;
            if (i == 2) before = fx.heap.calls;
            DBM_EACH(s, r, "SELECT a, b FROM t WHERE a >= ?", 0) n += (int)dbm_row_int(r, 0) >= 0 && dbm_row_text(r, 1)[0] == 's';
            assert_int_equal(n, 200);
        }
        assert_int_equal(fx.heap.calls, before);
    }
}

static void test_max_allowed_packet(void **state) {
    size_t size = 17 * 1024 * 1024;
    char *text = (char *)malloc(size + 1);
    int64_t id;
    (void)state;
    memset(text, 'x', size);
    text[size] = '\0';
    OK(dbm_exec(fx.db, "CREATE TABLE big(a LONGTEXT)"));
    DBM_SESSION_ON(fx.db, s) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SELECT CONNECTION_ID()"));
        id = dbm_row_int(row, 0);
        assert_int_equal(dbm_exec(s, "INSERT INTO big VALUES (?)", text), DBM_E_LIMIT);
        says("max_allowed_packet");
        says("16777216");
    }
    assert_true(number(fx.db, "SELECT CONNECTION_ID()") == id); /* the connection lives */
    text[15 * 1024 * 1024] = '\0';
    OK(dbm_exec(fx.db, "INSERT INTO big VALUES (?)", text));
    assert_int_equal(number(fx.db, "SELECT LENGTH(a) FROM big"), 15 * 1024 * 1024);
    OK(dbm_exec(fx.db, "DROP TABLE big"));
    free(text);
}

/* ---- errors -------------------------------------------------------------------------------------------------------------------- */

static void fails(dbm_status status, const char *sqlstate, int native, dbm_constraint kind, const char *name, const char *sql) {
    dbm_status st = dbm_exec(fx.db, sql);
    const dbm_error_info *e = dbm_last_error();
    if (st != status || strcmp(e->sqlstate, sqlstate) != 0 || e->native_code != native || e->constraint != kind || strcmp(e->constraint_name, name) != 0) {
        fail_msg("%s: %s %s %d kind %d name '%s': %s", sql, dbm_status_name(st), e->sqlstate, e->native_code, (int)e->constraint, e->constraint_name, e->message);
    }
}

static void test_errors(void **state) {
    (void)state;
    OK(dbm_exec(fx.db, "INSERT INTO users(id, name, email) VALUES (1, 'Ada', 'a@x')"));
    OK(dbm_exec(fx.db, "INSERT INTO pets VALUES (1, 1)"));
    fails(DBM_E_CONSTRAINT, "23000", 1062, DBM_CONSTRAINT_UNIQUE, "email", "INSERT INTO users(name, email) VALUES ('B', 'a@x')");
    fails(DBM_E_CONSTRAINT, "23000", 1062, DBM_CONSTRAINT_PRIMARY_KEY, "PRIMARY", "INSERT INTO users(id, name) VALUES (1, 'B')");
    OK(dbm_exec(fx.db, "UPDATE users SET email = ' for key ''evil''' WHERE id = 1"));
    fails(DBM_E_CONSTRAINT, "23000", 1062, DBM_CONSTRAINT_UNIQUE, "email", "INSERT INTO users(name, email) VALUES ('B', ' for key ''evil''')");
    fails(DBM_E_CONSTRAINT, "23000", 1048, DBM_CONSTRAINT_NOT_NULL, "name", "INSERT INTO users(name) VALUES (NULL)");
    fails(DBM_E_CONSTRAINT, "HY000", 1364, DBM_CONSTRAINT_NOT_NULL, "name", "INSERT INTO users(age) VALUES (1)");
    fails(DBM_E_CONSTRAINT, "23000", 1452, DBM_CONSTRAINT_FOREIGN_KEY, "owned", "INSERT INTO pets VALUES (2, 99)");
    fails(DBM_E_CONSTRAINT, "23000", 1451, DBM_CONSTRAINT_FOREIGN_KEY, "owned", "DELETE FROM users WHERE id = 1");
    fails(DBM_E_CONSTRAINT, "23000", 4025, DBM_CONSTRAINT_CHECK, "grown", "INSERT INTO users(name, age) VALUES ('B', -1)");
    fails(DBM_E_SQL, "42000", 1064, DBM_CONSTRAINT_NONE, "", "SELEC 1");
    fails(DBM_E_SQL, "42S02", 1146, DBM_CONSTRAINT_NONE, "", "SELECT * FROM nowhere");
    fails(DBM_E_SQL, "42S22", 1054, DBM_CONSTRAINT_NONE, "", "SELECT nope FROM t");
    fails(DBM_E_RANGE, "22001", 1406, DBM_CONSTRAINT_NONE, "", "INSERT INTO t VALUES (1, REPEAT('x', 101))");
    fails(DBM_E_RANGE, "22003", 1264, DBM_CONSTRAINT_NONE, "", "INSERT INTO t VALUES (99999999999, 'x')");
    assert_int_equal(dbm_exec(fx.db, "SELECT ?", 1, 2), DBM_E_MISUSE);
    assert_int_equal(dbm_exec(fx.db, "SELECT 1; DROP TABLE t"), DBM_E_MISUSE);
    says("dbm_script");
}

/* What a session changed is gone for the next one, and what init_sql set is there for all. */
static void test_reset_and_init_sql(void **state) {
    static const dbm_reset resets[] = { DBM_RESET_DEFAULT, DBM_RESET_FULL };
    static const char *const names[] = { "init", "init_full" };
    dbm_stats_info stats;
    dbm_status rc;
    dbm_row *row;
    (void)state;
    for (int k = 0; k < 2; k++) {
        int64_t id = 0;
        OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = names[k], .url = fx.server.url, .pool.size = 1, .pool.max_overflow = -1,
                                               .pool.reset_on_return = resets[k], .init_sql = "SET @mine = 5;; SELECT 1 UNION SELECT 2; SET @last = 'a;b'")));
        for (int i = 0; i < 4; i++) {
            DBM_SESSION_OPT(fx.mgr, names[k], s, .status = &rc) {
                OK(dbm_query_one(s, &row, "SELECT @mine, @other, @last, CONNECTION_ID()"));
                assert_int_equal(dbm_row_int(row, 0), 5);
                assert_true(dbm_row_is_null(row, 1));
                assert_string_equal(dbm_row_text(row, 2), "a;b");
                if (i == 0) id = dbm_row_int(row, 3);
                assert_int_equal(dbm_row_int(row, 3), id); /* the same connection each time */
                if (k == 0 || i % 2 != 0) OK(dbm_exec(s, "SET @mine = 6, @other = 7"));
            }
            OK(rc);
        }
        OK(dbm_stats(dbm_get(fx.mgr, names[k]), &stats));
        assert_int_equal(stats.connects, 1);
        assert_int_equal(stats.disconnects, 0);
    }
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "bad_init", .url = fx.server.url, .init_sql = "SET @mine = 5; SET nosuch_variable = 1")));
    assert_int_equal(dbm_ping(dbm_get(fx.mgr, "bad_init")), DBM_E_SQL);
    says("init_sql: ");
    says("nosuch_variable");
}

static void test_connect_errors(void **state) {
    char url[700], *at;
    dbm_database *db;
    (void)state;
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "nopass", .url = "mysql://nobody:hush-hush@127.0.0.1:1/x")));
    db = dbm_get(fx.mgr, "nopass");
    assert_int_equal(dbm_ping(db), DBM_E_CONNECT);
    assert_true(dbm_last_error()->retryable); /* it may be starting */
    assert_null(strstr(message(), "hush-hush"));
    says("127.0.0.1, port 1: ");
    (void)snprintf(url, sizeof url, "%s_missing", fx.server.url);
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "missing", .url = url)));
    assert_int_equal(dbm_ping(dbm_get(fx.mgr, "missing")), DBM_E_UNKNOWN_NAME);
    assert_false(dbm_last_error()->retryable);
    assert_int_equal(dbm_last_error()->native_code, 1049);
    assert_string_equal(dbm_last_error()->sqlstate, "3D000");
    (void)snprintf(url, sizeof url, "mysql://nobody:wrong%%20one@127.0.0.1:%s/x", servers_variable("DBM_TEST_MYSQL_PORT"));
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "wrong", .url = url)));
    assert_int_equal(dbm_ping(dbm_get(fx.mgr, "wrong")), DBM_E_AUTH);
    assert_int_equal(dbm_last_error()->native_code, 1045);
    assert_null(strstr(message(), "wrong one"));
    /* A list of hosts: the first one that answers. */
    at = strrchr(fx.server.url, '@');
    (void)snprintf(url, sizeof url, "%.*s@127.0.0.1:1,%s", (int)(at - fx.server.url), fx.server.url, at + 1);
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "list", .url = url)));
    OK(dbm_ping(dbm_get(fx.mgr, "list")));
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "socket", .url = servers_url("mysql_socket"))));
    OK(dbm_ping(dbm_get(fx.mgr, "socket")));
    assert_null(strstr(test_log_text(&fx.log), "hush-hush"));
}

static dbm_status config(const char *url, const char *key, const char *value) {
    static int n;
    char name[32];
    dbm_option option;
    option.name = key;
    option.value = value;
    (void)snprintf(name, sizeof name, "config%d", n++);
    {
        dbm_config c;
        dbm_status st;
        memset(&c, 0, sizeof c);
        c.name = name;
        c.url = url;
        c.options = key != NULL ? &option : NULL;
        c.option_count = key != NULL;
        st = dbm_add_database(fx.mgr, &c);
        return st == DBM_OK ? dbm_ping(dbm_get(fx.mgr, name)) : st;
    }
}

static void test_configuration(void **state) {
    char url[700];
    (void)state;
    assert_int_equal(config(fx.server.url, "connect_args.compres", "true"), DBM_E_CONFIG);
    says("did you mean compress?");
    (void)snprintf(url, sizeof url, "%s?charset=latin1", fx.server.url);
    assert_int_equal(config(url, NULL, NULL), DBM_E_CONFIG);
    says("utf8mb4");
    assert_int_equal(config(fx.server.url, "sql_mode", "ANSI_QUOTES"), DBM_E_CONFIG);
    says("ANSI_QUOTES");
    assert_int_equal(config(fx.server.url, "sql_mode", "x';drop"), DBM_E_CONFIG);
    OK(config(fx.server.url, "sql_mode", "STRICT_ALL_TABLES"));
    OK(config(fx.server.url, "connect_args.compress", "true"));
    assert_int_equal(config("mysql://u@h:99999/x", NULL, NULL), DBM_E_CONFIG);
    assert_int_equal(config("mysql://u@h/x/y", NULL, NULL), DBM_E_CONFIG);
    (void)snprintf(url, sizeof url, "%s?ssl-mode=REQUIRED", fx.server.url);
    {
        dbm_config c;
        memset(&c, 0, sizeof c);
        c.name = "twice";
        c.url = url;
        c.tls = DBM_TLS_OFF;
        assert_int_equal(dbm_add_database(fx.mgr, &c), DBM_E_CONFIG);
        c.name = "ca";
        c.url = fx.server.url;
        c.tls = DBM_TLS_VERIFY_CA;
        OK(dbm_add_database(fx.mgr, &c));
        assert_int_equal(dbm_ping(dbm_get(fx.mgr, "ca")), DBM_E_CONFIG);
        says("tls_ca");
    }
}

/* Modes of the server that would put our lexer out of step are taken out of it, the others stay. */
static void test_sql_mode(void **state) {
    dbm_row *row;
    (void)state;
    OK(dbm_exec(fx.db, "SET GLOBAL sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES'"));
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "modes", .url = fx.server.url)));
    DBM_SESSION(fx.mgr, "modes", s) {
        OK(dbm_query_one(s, &row, "SELECT @@sql_mode, 'a\\'?', \"b\\\"?\", ?", 1));
        assert_null(strstr(dbm_row_text(row, 0), "ANSI"));
        assert_null(strstr(dbm_row_text(row, 0), "NO_BACKSLASH"));
        assert_non_null(strstr(dbm_row_text(row, 0), "STRICT_ALL_TABLES"));
        assert_non_null(strstr(dbm_row_text(row, 0), "PIPES_AS_CONCAT"));
        assert_string_equal(dbm_row_text(row, 1), "a'?");
        assert_string_equal(dbm_row_text(row, 2), "b\"?");
    }
    OK(dbm_exec(fx.db, "SET GLOBAL sql_mode = DEFAULT"));
}

/* ---- transactions -------------------------------------------------------------------------------------------------------------- */

static void test_commit_and_rollback(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_ON(fx.db, s) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
        assert_int_equal(dbm_affected(s), 1);
        assert_locked("t");
    }
    assert_unlocked("t");
    assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t"), 1);
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (2, 'x')"));
        OK(dbm_rollback(s));
    }
    assert_int_equal(rc, DBM_ROLLED_BACK);
    assert_unlocked("t");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (2, 'x')"));
        break;
    }
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_unlocked("t");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (3, 'x')"));
        assert_int_equal(dbm_exec(s, "INSERT INTO t VALUES (1, 'again')"), DBM_E_CONSTRAINT);
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    assert_unlocked("t");
    assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t"), 1);
}

/* After a failed statement the server's flag says "no transaction" while it holds the table's lock. */
static void test_failed_statement_holds_no_lock(void **state) {
    dbm_status rc;
    (void)state;
    OK(dbm_exec(fx.db, "INSERT INTO t VALUES (1, 'x')"));
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) assert_int_equal(dbm_exec(s, "SELECT (SELECT a FROM t UNION ALL SELECT 2) FROM t"), DBM_E_SQL); /* more than one row */
    assert_int_equal(rc, DBM_E_SQL);
    assert_unlocked("t");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) assert_int_equal(dbm_exec(s, "SELECT nope FROM t"), DBM_E_SQL); /* at PREPARE */
    assert_unlocked("t");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) assert_int_equal(dbm_exec(s, "LOAD DATA INFILE '/nowhere/x' INTO TABLE t"), DBM_E_SQL);
    assert_unlocked("t");
}

static void test_reads_hold_no_lock(void **state) {
    dbm_status rc;
    dbm_row *row;
    int i;
    (void)state;
    for (i = 0; i < 100; i++) OK(dbm_exec(fx.db, "INSERT INTO t VALUES (?, 'x')", i));
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) OK(dbm_query_one(s, &row, "SELECT * FROM t"));
    assert_int_equal(rc, DBM_OK);
    assert_unlocked("t");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        DBM_EACH(s, r, "SELECT * FROM t") break;
    }
    assert_unlocked("t");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_query_one(s, &row, "SELECT * FROM t"));
        break;
    }
    assert_unlocked("t");
    DBM_SESSION_OPT(fx.mgr, "default", s, .autocommit = 1) {
        OK(dbm_query_one(s, &row, "SELECT * FROM t WHERE a = 3"));
        OK(dbm_query_one(s, &row, "SELECT 1"));
        assert_unlocked("t");
    }
    OK(dbm_ping(fx.db));
    assert_unlocked("t");
    assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM information_schema.innodb_trx"), 0);
}

/* What the server has not begun needs no end. */
static void test_round_trips(void **state) {
    int64_t commits, sets, rollbacks;
    dbm_row *row;
    (void)state;
    DBM_SESSION_ON(fx.db, s) OK(dbm_query_one(s, &row, "SELECT 1"));
    commits = server_count("Com_commit");
    rollbacks = server_count("Com_rollback");
    sets = server_count("Com_set_option");
    DBM_SESSION_ON(fx.db, s) OK(dbm_query_one(s, &row, "SELECT 1"));
    DBM_SESSION_ON(fx.db, s) (void)dbm_status_of(s);
    assert_int_equal(server_count("Com_commit"), commits);
    assert_int_equal(server_count("Com_rollback"), rollbacks);
    assert_int_equal(server_count("Com_set_option"), sets);
    DBM_SESSION_ON(fx.db, s) OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
    assert_int_equal(server_count("Com_commit"), commits + 1);
    DBM_SESSION_ON(fx.db, s) dbm_exec(s, "INSERT INTO t VALUES (1, 'x')");
    assert_int_equal(server_count("Com_commit"), commits + 1);
    assert_int_equal(server_count("Com_rollback"), rollbacks + 1);
}

static void test_implicit_commit(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
        dbm_exec(s, "CREATE TABLE implicit(a INT)");
        assert_int_equal(dbm_status_of(s), DBM_E_IMPLICIT_COMMIT);
    }
    assert_int_equal(rc, DBM_E_IMPLICIT_COMMIT);
    assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t"), 1);
    /* It commits before it fails, too. */
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (2, 'x')"));
        assert_int_equal(dbm_exec(s, "CREATE TABLE implicit(a INT)"), DBM_E_IMPLICIT_COMMIT);
        says("already exists");
        assert_int_equal(dbm_last_error()->native_code, 1050);
    }
    assert_int_equal(rc, DBM_E_IMPLICIT_COMMIT);
    assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t"), 2);
    /* Alone, or after reads, there is nothing to tell. */
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SELECT a FROM t"));
        OK(dbm_exec(s, "DROP TABLE implicit"));
        OK(dbm_exec(s, "INSERT INTO t VALUES (3, 'x')"));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t"), 3);
    assert_int_equal(dbm_exec(fx.db, "COMMIT"), DBM_E_MISUSE);
}

static void test_savepoints(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
        DBM_SAVEPOINT(s) {
            OK(dbm_exec(s, "INSERT INTO t VALUES (2, 'x')"));
            dbm_exec(s, "INSERT INTO t VALUES (1, 'x')");
        }
        assert_int_equal(dbm_status_of(s), DBM_E_CONSTRAINT);
        OK(dbm_clear_error(s));
        DBM_SAVEPOINT(s) {
            OK(dbm_exec(s, "INSERT INTO t VALUES (3, 'x')"));
            DBM_SAVEPOINT(s) OK(dbm_exec(s, "INSERT INTO t VALUES (4, 'x')"));
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number(fx.db, "SELECT SUM(a) FROM t"), 8);
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        DBM_SAVEPOINT(s) OK(dbm_exec(s, "ALTER TABLE t COMMENT 'commits'"));
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        DBM_SAVEPOINT(s) (void)dbm_status_of(s);
        DBM_SAVEPOINT(s) {
            dbm_row *row;
            OK(dbm_query_one(s, &row, "SELECT a FROM t WHERE a = 3"));
        }
    }
    assert_unlocked("t");
}

static void test_isolation_and_read_only(void **state) {
    dbm_row *row;
    (void)state;
    OK(dbm_exec(fx.db, "INSERT INTO t VALUES (1, 'x')"));
    DBM_SESSION_OPT(fx.mgr, "default", s, .isolation = DBM_READ_COMMITTED) {
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        OK(dbm_exec(fx.other, "INSERT INTO t VALUES (2, 'x')"));
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        assert_int_equal(dbm_row_int(row, 0), 2);
    }
    DBM_SESSION_ON(fx.db, s) { /* REPEATABLE READ is the server's, and the level before was for one transaction */
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        OK(dbm_exec(fx.other, "INSERT INTO t VALUES (3, 'x')"));
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        assert_int_equal(dbm_row_int(row, 0), 2);
    }
    DBM_SESSION_OPT(fx.mgr, "default", s, .read_only = 1, .isolation = DBM_SERIALIZABLE) {
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        assert_int_equal(dbm_exec(s, "INSERT INTO t VALUES (9, 'x')"), DBM_E_READ_ONLY);
    }
    OK(dbm_exec(fx.db, "CREATE OR REPLACE FUNCTION sneak() RETURNS INT BEGIN INSERT INTO t VALUES (9, 'x'); RETURN 1; END"));
    DBM_SESSION_OPT(fx.mgr, "default", s, .read_only = 1) {
        assert_int_equal(dbm_query_one(s, &row, "SELECT sneak()"), DBM_E_READ_ONLY); /* the server's own word */
        assert_int_equal(dbm_last_error()->native_code, 1792);
    }
    OK(dbm_exec(fx.db, "DROP FUNCTION sneak"));
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "serial", .url = fx.server.url, .isolation = DBM_SERIALIZABLE)));
    DBM_SESSION(fx.mgr, "serial", s) {
        OK(dbm_query_one(s, &row, "SELECT @@tx_isolation"));
        assert_string_equal(dbm_row_text(row, 0), "SERIALIZABLE");
    }
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "auto", .url = fx.server.url, .isolation = DBM_AUTOCOMMIT)));
    DBM_SESSION(fx.mgr, "auto", s) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (100, 'x')"));
        assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t WHERE a = 100"), 1);
    }
}

static void test_autocommit_session(void **state) {
    dbm_row *row;
    (void)state;
    DBM_SESSION_OPT(fx.mgr, "default", s, .autocommit = 1) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
        assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t"), 1);
        assert_unlocked("t");
    }
    DBM_SESSION_ON(fx.db, s) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (2, 'x')"));
        OK(dbm_query_one(s, &row, "SELECT @@autocommit"));
        assert_int_equal(dbm_row_int(row, 0), 0);
        assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t"), 1);
        OK(dbm_rollback(s));
    }
}

static void test_found_rows_and_ids(void **state) {
    (void)state;
    DBM_SESSION_ON(fx.db, s) {
        int64_t first;
        OK(dbm_exec(s, "INSERT INTO users(name, age) VALUES ('A', 1), ('B', 1)"));
        first = dbm_last_id(s);
        assert_true(first > 0);
        assert_int_equal(dbm_affected(s), 2);
        OK(dbm_exec(s, "UPDATE users SET age = 1")); /* matched, not changed */
        assert_int_equal(dbm_affected(s), 2);
        assert_true(dbm_last_id(s) == first);
        OK(dbm_exec(s, "UPDATE users SET age = 2 WHERE name = 'nobody'"));
        assert_int_equal(dbm_affected(s), 0);
        OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'no generated key')"));
        assert_true(dbm_last_id(s) == 0);
        {
            int n = 0;
            DBM_EACH(s, row, "INSERT INTO users(name) VALUES ('C'), ('D') RETURNING id, name") {
                n++;
                assert_string_equal(dbm_row_text(row, 1), n == 1 ? "C" : "D");
            }
            assert_int_equal(n, 2);
            assert_int_equal(dbm_affected(s), 2);
            assert_true(dbm_last_id(s) > first);
        }
        DBM_EACH(s, row, "DELETE FROM users RETURNING id") break; /* left early: all is done */
        assert_int_equal(dbm_affected(s), 4);
    }
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM users"), 0);
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------- */

static void test_nested(void **state) {
    int i, outer = 0, inner = 0;
    (void)state;
    for (i = 0; i < 50; i++) OK(dbm_exec(fx.db, "INSERT INTO t VALUES (?, ?)", i, "text of the row in hand"));
    DBM_SESSION_ON(fx.db, s) {
        DBM_EACH(s, row, "SELECT a, b FROM t ORDER BY a") {
            const char *b = dbm_row_text(row, 1);
            int a = (int)dbm_row_int(row, 0);
            dbm_row *one;
            assert_int_equal(a, outer);
            outer++;
            DBM_EACH(s, row2, "SELECT a, b FROM t WHERE a < ? ORDER BY a", 3) {
                inner++;
                OK(dbm_query_one(s, &one, "SELECT b FROM t WHERE a = ?", dbm_row_int(row2, 0)));
                assert_string_equal(dbm_row_text(one, 0), a >= (int)dbm_row_int(row2, 0) && a > 0 && dbm_row_int(row2, 0) < a ? "changed" : "text of the row in hand");
            }
            OK(dbm_exec(s, "UPDATE t SET b = 'changed' WHERE a = ?", a));
            assert_string_equal(b, "text of the row in hand");
            assert_string_equal(dbm_row_text(row, 1), "text of the row in hand");
        }
    }
    assert_int_equal(outer, 50);
    assert_int_equal(inner, 150);
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t WHERE b = 'changed'"), 50);
}

static void test_row_buffer_limit(void **state) {
    dbm_status rc;
    (void)state;
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "small", .url = fx.server.url, .row_buffer = 65536)));
    DBM_SESSION_RC(fx.mgr, "small", s, &rc) {
        DBM_EACH(s, row, "SELECT seq, REPEAT('x', 100) FROM seq_1_to_100000") {
            assert_int_equal(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"), DBM_E_LIMIT);
            says("row_buffer");
            break;
        }
    }
    assert_int_equal(rc, DBM_E_LIMIT);
    DBM_SESSION_RC(fx.mgr, "small", s, &rc) OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')")); /* the connection is in step */
    assert_int_equal(rc, DBM_OK);
}

static void test_many_rows(void **state) {
    long peak;
    int64_t n = 0, sum = 0;
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        DBM_EACH(s, row, "SELECT 1, 'x' FROM seq_1_to_10") n++;
        fx.heap.peak_bytes = fx.heap.live_bytes;
        peak = fx.heap.live_bytes;
        n = 0;
        DBM_EACH(s, row, "SELECT seq, REPEAT('y', 200) FROM seq_1_to_200000") {
            n++;
            sum += dbm_row_int(row, 0);
        }
        assert_true(fx.heap.peak_bytes < peak + 16384);
    }
    assert_int_equal(n, 200000);
    assert_true(sum == (int64_t)200000 * 200001 / 2);
    assert_int_equal(rc, DBM_OK);
    /* Left after one of many, the write before it is kept. */
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (77, 'kept')"));
        DBM_EACH(s, row, "SELECT seq FROM seq_1_to_200000") break;
        OK(dbm_exec(s, "INSERT INTO t VALUES (78, 'kept')"));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number(fx.other, "SELECT COUNT(*) FROM t WHERE b = 'kept'"), 2);
    /* Without a transaction the server is told to stop. */
    DBM_SESSION_OPT(fx.mgr, "default", s, .autocommit = 1, .status = &rc) {
        DBM_EACH(s, row, "SELECT a.seq FROM seq_1_to_100000 a, seq_1_to_100000 b") break;
        OK(dbm_exec(s, "INSERT INTO t VALUES (79, 'kept')"));
    }
    assert_int_equal(rc, DBM_OK);
}

/* Rows behind the first one come by another way when their columns are numbers and texts, with MariaDB's client: they must be the same. Each row is compared
 * with what the same query gives for it alone. */
static void test_rows_in_a_row(void **state) {
    static const char *const columns = "id, ti, tu, bo, si, su, mi, mu, i, iu, bi, bu, y, d, de, tx, bl, e";
    char sql[600];
    int64_t rows = 0;
    int wrong = 0;
    (void)state;
    OK(dbm_exec(fx.db, "CREATE TABLE r(id INT PRIMARY KEY, ti TINYINT, tu TINYINT UNSIGNED, bo BOOL, si SMALLINT, su SMALLINT UNSIGNED, mi MEDIUMINT, mu MEDIUMINT UNSIGNED, i INT, "
                       "iu INT UNSIGNED, bi BIGINT, bu BIGINT UNSIGNED, y YEAR, d DOUBLE, de DECIMAL(20,4), tx MEDIUMTEXT, bl BLOB, e ENUM('red','green'))"));
    DBM_SESSION_ON(fx.db, s) {
        static const int64_t least[] = { -128, 0, -128, -32768, 0, -8388608, 0, INT32_MIN, 0, INT64_MIN }, most[] = { 127, 255, 127, 32767, 65535, 8388607, 16777215, INT32_MAX, UINT32_MAX, INT64_MAX };
        for (int id = 1; id <= 300; id++) {
            static char text[70001];
            size_t size = id % 50 == 0 ? 70000 : id % 10 == 0 ? 300 : id % 10 == 1 ? 251 : id % 10 == 2 ? 250 : id % 10 == 3 ? 0 : (size_t)id;
            const int64_t *of = id % 2 == 0 ? least : most;
            dbm_value v[18] = { dbm_int(id) };
            memset(text, 'a' + id % 26, size);
            for (int i = 0; i < 10; i++) v[i + 1] = dbm_int(id % 5 == 0 ? of[i] / (id + 1) * (least[i] != 0 ? -1 : 1) : of[i]);
            v[11] = id % 2 == 0 ? dbm_uint(0) : dbm_uint(UINT64_MAX);
            v[12] = dbm_int(1901 + id % 200);
            v[13] = dbm_double(id % 2 == 0 ? -1.5e300 : 0.1 + id);
            v[14] = dbm_decimal(id % 2 == 0 ? "-1234567890123456.7890" : "0.5000");
            v[15] = dbm_textn(text, size);
            v[16] = dbm_blob("\0\xff" "b", (size_t)(id % 4));
            v[17] = dbm_text(id % 2 == 0 ? "red" : "green");
            for (int i = 1; i < 18; i++) if ((id + i) % 7 == 0) v[i] = dbm_null();
            OK(dbm_execv(s, "INSERT INTO r VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", v, 18));
        }
    }
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM r ORDER BY id", columns);
    DBM_SESSION_ON(fx.db, s) DBM_EACH(s, row, sql) {
        dbm_row *alone;
        (void)snprintf(sql, sizeof sql, "SELECT %s FROM r WHERE id = ?", columns);
        OK(dbm_query_one(fx.other, &alone, sql, dbm_row_int(row, 0)));
        rows++;
        for (int i = 0; i < dbm_row_columns(row); i++) {
            dbm_value a = dbm_row_value(row, i), b = dbm_row_value(alone, i);
            if (a.type != b.type) wrong++;
            else if (a.type < DBM_TYPE_TEXT) wrong += a.type != DBM_TYPE_NULL && a.as.uinteger != b.as.uinteger;
            else wrong += a.as.text.size != b.as.text.size || memcmp(a.as.text.data, b.as.text.data, a.as.text.size + 1) != 0; /* and the NUL behind it */
        }
        dbm_row_end(alone);
    }
    assert_int_equal(rows, 300);
    assert_int_equal(wrong, 0);
    OK(dbm_exec(fx.db, "DROP TABLE r"));
}

/* A connection that is given up ends at once, whatever it was made of. */
static void test_given_up(void **state) {
    static const dbm_tls modes[] = { DBM_TLS_OFF, DBM_TLS_REQUIRE };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        dbm_manager *mgr = NULL;
        dbm_database *db;
        dbm_connection c;
        dbm_op op;
        int64_t began;
        OK(dbm_manager_create(&mgr, NULL));
        OK(dbm_add_database(mgr, DBM_CONFIG(.url = fx.server.url, .tls = modes[i])));
        db = dbm_get(mgr, NULL);
        dbm__connection_alone(&c, db);
        dbm__op_init(&op, DBM_OP_CONNECT, dbm__now(db->host) + 5000000);
        OK(dbm__connection_made_alone(&c, dbm__op_run(&c, &op)));
        began = test_now_ms();
        dbm__connection_close(&c, DBM_DISCONNECT_BROKEN);
        assert_in_range(test_now_ms() - began, 0, 500);
        dbm_manager_free(mgr);
    }
}

static void test_empty_and_errors_in_rows(void **state) {
    dbm_row *row;
    dbm_status rc;
    int n = 0;
    (void)state;
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        DBM_EACH(s, r, "SELECT a FROM t WHERE a = -1") n++;
        assert_int_equal(n, 0);
        assert_int_equal(dbm_query_one(s, &row, "SELECT a FROM t WHERE a = -1"), DBM_E_NOT_FOUND);
        /* The hundredth row fails. */
        DBM_EACH(s, r, "SELECT IF(seq = 100, (SELECT 1 UNION SELECT 2), seq) FROM seq_1_to_200") n++;
        assert_int_equal(dbm_status_of(s), DBM_E_SQL);
        assert_int_equal(dbm_last_error()->native_code, 1242);
    }
    assert_int_equal(rc, DBM_E_SQL);
    OK(dbm_exec(fx.db, "INSERT INTO t VALUES (5, 'x')"));
}

/* ---- statements ---------------------------------------------------------------------------------------------------------------- */

static void test_procedures(void **state) {
    int n = 0;
    dbm_status rc;
    (void)state;
    OK(dbm_exec(fx.db, "CREATE OR REPLACE PROCEDURE two(IN k INT) BEGIN SELECT k, 'first' UNION SELECT k + 1, 'x'; SELECT 'second'; INSERT INTO t VALUES (k, 'by two'); END"));
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        DBM_EACH(s, row, "CALL two(?)", 7) {
            assert_int_equal(dbm_row_int(row, 0), 7 + n);
            n++;
        }
        assert_int_equal(n, 2);
        OK(dbm_exec(s, "CALL two(8)"));
        DBM_EACH(s, row, "CALL two(9)") break;
        DBM_EACH(s, row, "CALL two(10)") OK(dbm_exec(s, "UPDATE t SET b = 'x' WHERE a = 8"));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number(fx.db, "SELECT SUM(a) FROM t"), 34);
    OK(dbm_exec(fx.db, "DROP PROCEDURE two"));
    /* One whose rows are now these and now others, again and again. */
    OK(dbm_exec(fx.db, "CREATE OR REPLACE PROCEDURE one(IN k INT) BEGIN IF k = 1 THEN SELECT 7; ELSEIF k = 2 THEN SELECT 'seven'; ELSEIF k = 3 THEN SELECT 'seven', 7; "
                       "ELSE SET @nothing = k; END IF; END"));
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        static const char kinds[] = "1112221312141414";
        for (n = 0; kinds[n] != 0; n++) {
            dbm_row *row;
            if (kinds[n] == '4') {
                assert_int_equal(dbm_query_one(s, &row, "CALL one(?)", 4), DBM_E_NOT_FOUND);
                continue;
            }
            OK(dbm_query_one(s, &row, "CALL one(?)", kinds[n] - '0'));
            assert_string_equal(dbm_row_text(row, 0), kinds[n] == '1' ? "7" : "seven");
            assert_int_equal(dbm_row_columns(row), kinds[n] == '3' ? 2 : 1);
        }
    }
    assert_int_equal(rc, DBM_OK);
    OK(dbm_exec(fx.db, "DROP PROCEDURE one"));
    /* One that leaves a transaction open, in autocommit: nobody else goes on in it. */
    OK(dbm_exec(fx.db, "CREATE OR REPLACE PROCEDURE opens() BEGIN START TRANSACTION; INSERT INTO t VALUES (70, 'by opens'); END"));
    OK(dbm_exec(fx.db, "CALL opens()"));
    assert_int_equal(number(fx.db, "SELECT @@in_transaction"), 0);
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t WHERE a = 70"), 0);
    OK(dbm_exec(fx.db, "DROP PROCEDURE opens"));
}

static void test_schema_change(void **state) {
    dbm_statement *st;
    dbm_row *row;
    int i;
    (void)state;
    OK(dbm_exec(fx.db, "CREATE TABLE c(a INT)"));
    OK(dbm_exec(fx.db, "INSERT INTO c VALUES (1)"));
    DBM_SESSION_OPT(fx.mgr, "default", s, .autocommit = 1) {
        OK(dbm_prepare(s, "SELECT * FROM c", &st));
        OK(dbm_stmt_query_one(st, &row));
        assert_int_equal(dbm_row_columns(row), 1);
        OK(dbm_exec(fx.other, "ALTER TABLE c ADD b VARCHAR(50) DEFAULT 'new'"));
        OK(dbm_stmt_query_one(st, &row));
        assert_int_equal(dbm_row_columns(row), 2);
        assert_string_equal(dbm_row_text(row, 1), "new");
        assert_string_equal(dbm_row_name(row, 1), "b");
        OK(dbm_exec(fx.other, "ALTER TABLE c MODIFY a VARCHAR(20)"));
        OK(dbm_stmt_query_one(st, &row));
        assert_int_equal(dbm_row_value(row, 0).type, DBM_TYPE_TEXT);
        assert_string_equal(dbm_row_text(row, 0), "1");
        OK(dbm_exec(fx.other, "ALTER TABLE c DROP a"));
        for (i = 0; i < 3; i++) {
            OK(dbm_stmt_query_one(st, &row));
            assert_int_equal(dbm_row_columns(row), 1);
            assert_string_equal(dbm_row_text(row, 0), "new");
        }
    }
    OK(dbm_exec(fx.db, "DROP TABLE c"));
}

static void test_statement_cache(void **state) {
    dbm_row *row;
    int i, round;
    int64_t prepares, open;
    (void)state;
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "cache", .url = fx.server.url, .statement_cache = 4)));
    open = server_count("Prepared_stmt_count");
    DBM_SESSION(fx.mgr, "cache", s) {
        char sql[40];
        for (round = 0; round < 3; round++) {
            for (i = 0; i < 10; i++) {
                (void)snprintf(sql, sizeof sql, "SELECT %d + ?", i);
                OK(dbm_query_one(s, &row, sql, 1));
                assert_int_equal(dbm_row_int(row, 0), i + 1);
            }
        }
        OK(dbm_query_one(s, &row, "SELECT 1"));
        assert_true(server_count("Prepared_stmt_count") <= open + 6);
        prepares = server_count("Com_stmt_prepare");
        for (i = 0; i < 10; i++) OK(dbm_query_one(s, &row, "SELECT 1"));
        assert_int_equal(server_count("Com_stmt_prepare"), prepares);
    }
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "nocache", .url = fx.server.url, .statement_cache = -1)));
    DBM_SESSION(fx.mgr, "nocache", s) {
        for (i = 0; i < 5; i++) OK(dbm_query_one(s, &row, "SELECT ?", i));
        DBM_EACH(s, r, "SELECT seq FROM seq_1_to_5") OK(dbm_exec(s, "REPLACE INTO t VALUES (?, 'x')", dbm_row_int(r, 0)));
    }
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 5);
    /* After a full reset the server has forgotten them. */
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "full", .url = fx.server.url, .pool.reset_on_return = DBM_RESET_FULL)));
    for (i = 0; i < 3; i++) {
        DBM_SESSION(fx.mgr, "full", s) {
            OK(dbm_query_one(s, &row, "SELECT ?, CONNECTION_ID(), @@time_zone, @@autocommit", i));
            assert_int_equal(dbm_row_int(row, 0), i);
            assert_string_equal(dbm_row_text(row, 2), "+00:00");
            assert_int_equal(dbm_row_int(row, 3), 0);
            OK(dbm_exec(s, "REPLACE INTO t VALUES (?, 'x')", i + 50));
        }
    }
}

static void test_unpreparable(void **state) {
    dbm_row *row;
    dbm_status rc;
    int n = 0;
    (void)state;
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        DBM_EACH(s, r, "SHOW TABLES") n++;
        assert_true(n >= 3);
        OK(dbm_query_one(s, &row, "EXPLAIN SELECT * FROM t"));
        OK(dbm_exec(s, "SET @a = 5"));
        OK(dbm_exec(s, "DO SLEEP(0)"));
        OK(dbm_query_one(s, &row, "SELECT @a"));
        assert_int_equal(dbm_row_int(row, 0), 5);
        OK(dbm_exec(s, "PREPARE p FROM 'SELECT 1, 2.5, ''x'', NULL, CAST(''2024-02-29 01:02:03.5'' AS DATETIME(1)), 18446744073709551615'"));
        n = 0;
        DBM_EACH(s, r, "EXECUTE p") { /* can't be prepared itself: rows as text, the same values */
            n++;
            assert_int_equal(dbm_row_value(r, 0).type, DBM_TYPE_INT);
            assert_int_equal(dbm_row_int(r, 0), 1);
            assert_string_equal(dbm_row_text(r, 1), "2.5");
            assert_string_equal(dbm_row_text(r, 2), "x");
            assert_true(dbm_row_is_null(r, 3));
            assert_int_equal(dbm_row_value(r, 4).type, DBM_TYPE_TIMESTAMP);
            assert_true(dbm_row_uint(r, 5) == UINT64_MAX);
            OK(dbm_query_one(s, &row, "SELECT 2"));
        }
        assert_int_equal(n, 1);
    }
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        n = 0;
        DBM_EACH(s, r, "CHECK TABLE t") n++;
        assert_int_equal(n, 1);
    }
    assert_int_equal(rc, DBM_OK);
    OK(dbm_script(fx.db, "DELETE FROM t; INSERT INTO t VALUES (1, 'a;b'); # comment;\nINSERT INTO t VALUES (2, \"c\\\";\");"));
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 2);
}

static void test_native(void **state) {
    dbm_row *row;
    (void)state;
    DBM_SESSION_ON(fx.db, s) {
        MYSQL *my = (MYSQL *)dbm_native(s, "mysql");
        assert_non_null(my);
        assert_int_equal(mysql_query(my, "INSERT INTO t VALUES (1, 'native')"), 0);
        OK(dbm_query_one(s, &row, "SELECT b FROM t WHERE a = 1"));
        assert_string_equal(dbm_row_text(row, 0), "native");
        assert_null(dbm_native(s, "postgresql"));
        dbm_rollback(s);
    }
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 0);
    assert_unlocked("t");
}

/* ---- deadlock ------------------------------------------------------------------------------------------------------------------ */

typedef struct racer { int first, second; int tries; dbm_status status; pthread_barrier_t *both; } racer;
static void *race(void *ud) {
    racer *r = (racer *)ud;
    DBM_RETRY(fx.mgr, "default", s, 5) {
        r->tries++;
        dbm_exec(s, "UPDATE t SET b = CONCAT(b, 'x') WHERE a = ?", r->first);
        if (r->tries == 1) (void)pthread_barrier_wait(r->both);
        dbm_exec(s, "UPDATE t SET b = CONCAT(b, 'x') WHERE a = ?", r->second);
        r->status = dbm_status_of(s);
    }
    return NULL;
}

static void test_deadlock(void **state) {
    pthread_t one, two;
    pthread_barrier_t both;
    racer a = { 1, 2, 0, DBM_OK, NULL }, b = { 2, 1, 0, DBM_OK, NULL };
    (void)state;
    OK(dbm_exec(fx.db, "INSERT INTO t VALUES (1, ''), (2, '')"));
    (void)pthread_barrier_init(&both, NULL, 2);
    a.both = b.both = &both;
    assert_int_equal(pthread_create(&one, NULL, race, &a), 0);
    assert_int_equal(pthread_create(&two, NULL, race, &b), 0);
    (void)pthread_join(one, NULL);
    (void)pthread_join(two, NULL);
    (void)pthread_barrier_destroy(&both);
    assert_int_equal(a.tries + b.tries, 3);
    assert_int_equal(a.status, DBM_OK);
    assert_int_equal(b.status, DBM_OK);
    assert_int_equal(number(fx.db, "SELECT SUM(LENGTH(b)) FROM t"), 4);
}

#define TEST(f) cmocka_unit_test_setup(f, clean)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_values), TEST(test_values_of_expressions), TEST(test_timestamps), TEST(test_zero_dates), TEST(test_time_zone), TEST(test_long_texts),
        TEST(test_no_allocation), TEST(test_max_allowed_packet),
        TEST(test_errors), TEST(test_connect_errors), TEST(test_configuration), TEST(test_sql_mode),
        TEST(test_commit_and_rollback), TEST(test_failed_statement_holds_no_lock), TEST(test_reads_hold_no_lock), TEST(test_round_trips), TEST(test_implicit_commit), TEST(test_reset_and_init_sql),
        TEST(test_savepoints), TEST(test_isolation_and_read_only), TEST(test_autocommit_session), TEST(test_found_rows_and_ids),
        TEST(test_nested), TEST(test_row_buffer_limit), TEST(test_many_rows), TEST(test_rows_in_a_row), TEST(test_given_up), TEST(test_empty_and_errors_in_rows),
        TEST(test_procedures), TEST(test_schema_change), TEST(test_statement_cache), TEST(test_unpreparable), TEST(test_native), TEST(test_deadlock),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
