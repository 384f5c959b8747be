/* An adapter of a user's own: examples/adapter_odbc.c, as it is, on the ODBC drivers of SQLite and of PostgreSQL. */
/* cc: -lodbc */
#include "dbm_test.h"
#include "servers/test_servers.h"

/* The example's dbm.h is the one that is here already. */
#undef DBM_WITH_INI
#define DBM__IMPLEMENTED
#define main example_main
#include "../../examples/adapter_odbc.c"
#undef main

enum { SQLITE = 0, POSTGRESQL = 1 };
static int source; /* which one the test runs on */
static test_heap heap;
static test_log log_lines;
static test_dir dir;
static servers_database fresh;
static dbm_manager *mgr;
static char url[600];

static void open_with(const dbm_config *config) {
    dbm_options options;
    dbm_config own = *config;
    memset(&options, 0, sizeof options);
    test_log_clear(&log_lines);
    memset(&heap, 0, sizeof heap);
    options.allocator = test_heap_allocator(&heap);
    options.log = test_log_hook;
    options.log_ud = &log_lines;
    options.no_env = true;
    if (own.url == NULL) own.url = url;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_register(mgr, &odbc_adapter), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, &own), DBM_OK);
}
static void close_again(void) {
    dbm_manager_free(mgr);
    mgr = NULL;
    assert_int_equal(test_heap_live(&heap), 0);
}
static dbm_database *db(void) { return dbm_get(mgr, ""); }

/* odbc://user:password@host:port/?... of the run's own URL, which ends in /DATABASE. */
static void postgresql_url(const char *from, const char *name, char *out, size_t n) {
    const char *rest = strstr(from, "://") + 3;
    (void)snprintf(out, n, "odbc://%.*s/?driver=PostgreSQL%%20Unicode&protocol=7.4-0&database=%s", (int)strcspn(rest, "/"), rest, name);
}

static int setup_sqlite(void **state) {
    (void)state;
    source = SQLITE;
    test_dir_make(&dir);
    (void)snprintf(url, sizeof url, "odbc:///?driver=SQLite3&fksupport=1&timeout=100&database=%s", test_dir_file(&dir, "a.db"));
    open_with(DBM_CONFIG(.pool.size = 3, .pool.max_overflow = -1));
    return 0;
}
static int setup_postgresql(void **state) {
    (void)state;
    source = POSTGRESQL;
    servers_fresh(&fresh, "postgresql");
    postgresql_url(fresh.url, fresh.name, url, sizeof url);
    open_with(DBM_CONFIG(.pool.size = 3, .pool.max_overflow = -1));
    return 0;
}
static int teardown(void **state) {
    (void)state;
    close_again();
    if (source == SQLITE) test_dir_remove(&dir);
    else servers_drop(&fresh);
    return 0;
}

static long now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}
static int count_of(const char *sql) {
    dbm_row *row;
    int n = -1;
    if (dbm_query_one(db(), &row, sql) != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    n = (int)dbm_row_int(row, 0);
    dbm_row_end(row);
    return n;
}
static void make_table(void) {
    assert_int_equal(dbm_exec(db(), "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(100))"), DBM_OK);
    assert_int_equal(dbm_exec(db(), "INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three')"), DBM_OK);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 3);
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

static void values_come_back(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_row *row;
        size_t size = 0;
        assert_int_equal(dbm_exec(s, source == SQLITE ? "CREATE TABLE v (id INTEGER, i BIGINT, d DOUBLE, t VARCHAR(200), b BLOB, n DECIMAL(12,3), w TIMESTAMP, y BIT)"
                                                      : "CREATE TABLE v (id INTEGER, i BIGINT, d DOUBLE PRECISION, t TEXT, b BYTEA, n DECIMAL(12,3), w TIMESTAMP, y BOOLEAN)"), DBM_OK);
        assert_int_equal(dbm_exec(s, "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?, ?)", 1, INT64_MIN, 0.1, "na\303\257ve \360\237\230\200 \342\202\254", dbm_blob("\0\1\377;", 4),
                                  dbm_decimal("123456.789"), dbm_timestamp(1709210096123456), true), DBM_OK);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_exec(s, "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?, ?)", 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL), DBM_OK);
        assert_int_equal(dbm_exec(s, "INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?, ?)", 3, INT64_MAX, -1e300, "", dbm_blob("", 0), dbm_decimal("-0.001"),
                                  dbm_timestamp(-1000000), false), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "SELECT i, d, t, b, n, w, y FROM v WHERE id = ?", 1), DBM_OK);
        assert_true(dbm_row_int(row, 0) == INT64_MIN);
        assert_int_equal(dbm_row_value(row, 0).type, DBM_TYPE_INT);
        assert_true(dbm_row_double(row, 1) == 0.1);
        assert_int_equal(dbm_row_value(row, 1).type, DBM_TYPE_DOUBLE);
        assert_string_equal(dbm_row_text(row, 2), "na\303\257ve \360\237\230\200 \342\202\254");
        assert_memory_equal(dbm_row_blob(row, 3, &size), "\0\1\377;", 4);
        assert_int_equal(size, 4);
        assert_int_equal(dbm_row_value(row, 3).type, DBM_TYPE_BLOB);
        assert_string_equal(dbm_row_text(row, 4), "123456.789");
        assert_true(dbm_row_timestamp(row, 5) == 1709210096123456 || (source == SQLITE && dbm_row_timestamp(row, 5) == 1709210096123000)); /* that driver counts in ms */
        assert_int_equal(dbm_row_value(row, 5).type, DBM_TYPE_TIMESTAMP);
        assert_true(dbm_row_bool(row, 6));
        assert_string_equal(dbm_row_name(row, 2), "t");
        assert_int_equal(dbm_query_one(s, &row, "SELECT i, d, t, b, n, w, y FROM v WHERE id = ?", 2), DBM_OK);
        for (int i = 0; i < 7; i++) assert_true(dbm_row_is_null(row, i));
        assert_int_equal(dbm_query_one(s, &row, "SELECT i, d, t, b, n, w, y FROM v WHERE id = ?", 3), DBM_OK);
        assert_true(dbm_row_int(row, 0) == INT64_MAX);
        assert_true(dbm_row_double(row, 1) == -1e300);
        assert_false(dbm_row_is_null(row, 2));
        assert_string_equal(dbm_row_text(row, 2), "");
        (void)dbm_row_blob(row, 3, &size);
        assert_int_equal(size, 0);
        assert_true(dbm_row_timestamp(row, 5) == -1000000);
        assert_false(dbm_row_bool(row, 6));
        assert_int_equal(dbm_query_one(s, &row, "SELECT i FROM v WHERE id = 4"), DBM_E_NOT_FOUND);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(dbm_exec(db(), "INSERT INTO v(i) VALUES (?)", UINT64_MAX), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db(), "INSERT INTO v(t) VALUES (?)", "\377"), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db(), "INSERT INTO v(t) VALUES (?)", "\355\240\200"), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db(), "INSERT INTO v(t) VALUES ('\377')"), DBM_E_RANGE);
}

static void long_values_come_back(void **state) {
    enum { LONG = 300000 };
    char *text = (char *)malloc(LONG + 8);
    size_t size = 0, n = 0;
    dbm_status rc;
    (void)state;
    assert_non_null(text);
    while (n < LONG) { /* widths of 1, 2, 3 and 4 bytes, so that pieces end within characters */
        static const char *const some[] = { "a", "\303\251", "\342\202\254", "\360\237\230\200", "bc" };
        const char *one = some[n * 7 % 5];
        memcpy(text + n, one, strlen(one) + 1);
        n += strlen(one);
    }
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_row *row;
        dbm_exec(s, source == SQLITE ? "CREATE TABLE l (t LONGVARCHAR, b BLOB)" : "CREATE TABLE l (t TEXT, b BYTEA)");
        assert_int_equal(dbm_exec(s, "INSERT INTO l VALUES (?, ?)", text, dbm_blob(text, n)), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "SELECT t, b, t FROM l"), DBM_OK);
        assert_int_equal(strlen(dbm_row_text(row, 0)), n);
        assert_string_equal(dbm_row_text(row, 0), text);
        assert_memory_equal(dbm_row_blob(row, 1, &size), text, n);
        assert_int_equal(size, n);
        assert_string_equal(dbm_row_text(row, 2), text);
    }
    assert_int_equal(rc, DBM_OK);
    free(text);
}

/* ---- sessions -------------------------------------------------------------------------------------------------------------- */

static void transactions_end_as_asked(void **state) {
    dbm_status rc, part;
    (void)state;
    make_table();
    DBM_SESSION_RC(mgr, "", s, &rc) {
        assert_int_equal(dbm_exec(s, "UPDATE t SET name = ? WHERE id >= ?", "x", 2), DBM_OK);
        assert_int_equal(dbm_affected(s), 2);
        assert_int_equal(dbm_exec(s, "DELETE FROM t WHERE id = 99"), DBM_OK);
        assert_int_equal(dbm_affected(s), 0);
        dbm_rollback(s);
        assert_int_equal(dbm_exec(s, "INSERT INTO t VALUES (4, 'four')"), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(count_of("SELECT count(*) FROM t WHERE name = 'x'"), 0);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 4);
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_exec(s, "DELETE FROM t");
        break;
    }
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 4);
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_exec(s, "INSERT INTO t VALUES (5, 'five')");
        DBM_SAVEPOINT_RC(s, &part) {
            dbm_exec(s, "DELETE FROM t");
            dbm_exec(s, "INSERT INTO t VALUES (6, 'six'), (6, 'six')");
        }
        assert_int_equal(part, DBM_E_CONSTRAINT);
        dbm_clear_error(s);
        dbm_exec(s, "INSERT INTO t VALUES (7, 'seven')");
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 6);
    DBM_SESSION_RC(mgr, "", s, &rc) dbm_exec(s, "BEGIN");
    assert_int_equal(rc, DBM_E_MISUSE);
    DBM_SESSION_OPT(mgr, "", s, .isolation = DBM_SERIALIZABLE, .status = &rc) {
        if (source == POSTGRESQL) {
            dbm_row *row;
            assert_int_equal(dbm_query_one(s, &row, "SHOW transaction_isolation"), DBM_OK);
            assert_string_equal(dbm_row_text(row, 0), "serializable");
        }
        dbm_exec(s, "DELETE FROM t WHERE id = 7");
    }
    assert_int_equal(rc, DBM_OK);
    if (source == POSTGRESQL) {
        DBM_SESSION_RC(mgr, "", s, &rc) { /* of that session alone */
            dbm_row *row;
            assert_int_equal(dbm_query_one(s, &row, "SHOW transaction_isolation"), DBM_OK);
            assert_string_equal(dbm_row_text(row, 0), "read committed");
        }
    }
}

static void statements_are_prepared_once(void **state) {
    dbm_stats_info before, after;
    dbm_status rc;
    (void)state;
    make_table();
    dbm_stats(db(), &before);
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_statement *st;
        dbm_row *row;
        for (int i = 0; i < 20; i++) {
            assert_int_equal(dbm_query_one(s, &row, "SELECT name FROM t WHERE id = ?", 1 + i % 3), DBM_OK);
            if (i == 10) dbm_commit(s);
        }
        assert_int_equal(dbm_prepare(s, "INSERT INTO t VALUES (?, ?)", &st), DBM_OK);
        for (int i = 0; i < 5; i++) assert_int_equal(dbm_stmt_exec(st, 10 + i, "more"), DBM_OK);
        dbm_stmt_end(st);
    }
    assert_int_equal(rc, DBM_OK);
    dbm_stats(db(), &after);
    assert_int_equal(after.cache_hits - before.cache_hits, 19);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 8);
}

/* Statements run inside a loop over rows; the row in hand and all later ones are those of before. */
static void statements_run_inside_a_loop(void **state) {
    dbm_status rc;
    int rows = 0, inner = 0;
    (void)state;
    make_table();
    DBM_SESSION_RC(mgr, "", s, &rc) {
        DBM_EACH(s, row, "SELECT id, name FROM t ORDER BY id") {
            const char *name = dbm_row_text(row, 1);
            assert_int_equal(dbm_exec(s, "INSERT INTO t VALUES (?, ?)", dbm_row_int(row, 0) + 10, name), DBM_OK);
            DBM_EACH(s, again, "SELECT id FROM t") inner += (int)dbm_row_int(again, 0) > 0;
            DBM_EACH(s, early, "SELECT id FROM t") {
                (void)early;
                break;
            }
            assert_string_equal(name, rows == 0 ? "one" : rows == 1 ? "two" : "three");
            rows++;
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows, 3);
    assert_int_equal(inner, 4 + 5 + 6);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 6);
    close_again();
    open_with(DBM_CONFIG(.row_buffer = 200));
    DBM_SESSION_RC(mgr, "", s, &rc) {
        DBM_EACH(s, row, "SELECT id, name FROM t ORDER BY id") dbm_exec(s, "DELETE FROM t WHERE id = ?", dbm_row_int(row, 0));
    }
    assert_int_equal(rc, DBM_E_LIMIT);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 6);
}

/* ---- errors ---------------------------------------------------------------------------------------------------------------- */

static void errors_are_told_by_kind(void **state) {
    static const struct { const char *sql; dbm_constraint kind; const char *name[2]; } wrong[] = {
        { "INSERT INTO e VALUES (1, 'a', 1, 1)", DBM_CONSTRAINT_UNIQUE, { "e.id", "" } }, { "INSERT INTO e VALUES (2, NULL, 1, 1)", DBM_CONSTRAINT_NOT_NULL, { "e.name", "" } },
        { "INSERT INTO e VALUES (2, 'a', -1, 1)", DBM_CONSTRAINT_CHECK, { "positive", "" } }, { "INSERT INTO e VALUES (2, 'a', 1, 77)", DBM_CONSTRAINT_FOREIGN_KEY, { "", "" } }
    };
    dbm_status rc;
    size_t i;
    (void)state;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_exec(s, "CREATE TABLE p (id INTEGER PRIMARY KEY)");
        dbm_exec(s, "INSERT INTO p VALUES (1)");
        dbm_exec(s, "CREATE TABLE e (id INTEGER PRIMARY KEY, name VARCHAR(20) NOT NULL, n INTEGER CONSTRAINT positive CHECK (n > 0), p INTEGER REFERENCES p(id))");
        dbm_exec(s, "INSERT INTO e VALUES (1, 'a', 1, 1)");
    }
    assert_int_equal(rc, DBM_OK);
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(dbm_exec(db(), wrong[i].sql), DBM_E_CONSTRAINT);
        assert_int_equal(dbm_last_error()->constraint, wrong[i].kind);
        assert_string_equal(dbm_last_error()->constraint_name, wrong[i].name[source]);
        if (source == POSTGRESQL) assert_int_equal(strncmp(dbm_last_error()->sqlstate, "23", 2), 0);
        assert_non_null(strstr(dbm_last_error()->site, "test_adapter_odbc.c:"));
    }
    assert_int_equal(dbm_exec(db(), "SELEKT 1"), DBM_E_SQL);
    if (source == POSTGRESQL) assert_string_equal(dbm_last_error()->sqlstate, "42601");
    assert_non_null(strstr(dbm_last_error()->message, "SELEKT"));
    assert_int_equal(dbm_exec(db(), "SELECT * FROM nowhere"), DBM_E_SQL);
    assert_int_equal(dbm_exec(db(), "INSERT INTO p VALUES (?)"), DBM_E_MISUSE);
    assert_int_equal(count_of("SELECT count(*) FROM e"), 1);
}

static void configurations_are_checked(void **state) {
    char wrong[640];
    (void)state;
    close_again();
    open_with(DBM_CONFIG(.url = "odbc:///"));
    assert_null(db());
    assert_int_equal(dbm_last_error()->status, DBM_E_CONFIG);
    assert_non_null(strstr(dbm_last_error()->message, "odbc:///DSN"));
    close_again();
    open_with(DBM_CONFIG(.url = "odbc:///no_such_source"));
    assert_int_equal(dbm_init_all(mgr), DBM_E_CONNECT);
    assert_string_equal(dbm_last_error()->sqlstate, "IM002");
    close_again();
    if (source == POSTGRESQL) {
        postgresql_url(fresh.url, fresh.name, wrong, sizeof wrong);
        memcpy(strchr(strstr(wrong, "://") + 3, ':') + 1, "geheim", 6);
        open_with(DBM_CONFIG(.url = wrong));
        assert_true(dbm_init_all(mgr) == DBM_E_CONNECT || dbm_last_error()->status == DBM_E_AUTH);
        assert_null(strstr(dbm_last_error()->message, "geheim"));
        close_again();
    }
    open_with(DBM_CONFIG(.pool.size = 1));
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
}

/* Another writer has the file: told as what another try may cure. */
static void a_locked_file_can_be_tried_again(void **state) {
    dbm_session one, two;
    (void)state;
    make_table();
    assert_int_equal(dbm_session_begin(db(), NULL, &one), DBM_OK);
    assert_int_equal(dbm_session_begin(db(), NULL, &two), DBM_OK);
    assert_int_equal(dbm_exec(&one, "DELETE FROM t WHERE id = 1"), DBM_OK);
    assert_int_equal(dbm_exec(&two, "DELETE FROM t WHERE id = 2"), DBM_E_SERIALIZATION);
    assert_true(dbm_last_error()->retryable);
    assert_int_equal(dbm_session_end(&two), DBM_E_SERIALIZATION);
    assert_int_equal(dbm_commit(&one), DBM_OK);
    assert_int_equal(dbm_session_end(&one), DBM_OK);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 2);
}

static void *add_many(void *ud) {
    int first = *(int *)ud, i, bad = 0;
    for (i = 0; i < 50; i++) {
        dbm_status rc;
        DBM_SESSION_RC(mgr, "", s, &rc) {
            dbm_row *row;
            dbm_exec(s, "INSERT INTO t VALUES (?, ?)", first + i, "a thread's");
            if (dbm_query_one(s, &row, "SELECT id FROM t WHERE id = ?", first + i) != DBM_OK || dbm_row_int(row, 0) != first + i) bad++;
        }
        if (rc != DBM_OK) bad++;
    }
    *(int *)ud = bad;
    return NULL;
}
static void threads_share_the_pool(void **state) {
    pthread_t threads[6];
    int numbers[6], i;
    dbm_stats_info stats;
    (void)state;
    make_table();
    for (i = 0; i < 6; i++) {
        numbers[i] = 1000 * (i + 1);
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &numbers[i]), 0);
    }
    for (i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(numbers[i], 0);
    }
    assert_int_equal(count_of("SELECT count(*) FROM t"), 303);
    dbm_stats(db(), &stats);
    assert_true(stats.connects <= 3);
    assert_int_equal(stats.out, 0);
}

static dbm_status no_password(void *ud, dbm_credentials *out) {
    (void)out;
    ++*(int *)ud;
    return DBM_E_AUTH;
}
static void credentials_are_asked_for(void **state) {
    int asked = 0;
    (void)state;
    close_again();
    open_with(DBM_CONFIG(.credentials = no_password, .credentials_ud = &asked));
    assert_int_equal(dbm_init_all(mgr), DBM_E_AUTH);
    assert_int_equal(asked, 1);
    assert_non_null(strstr(dbm_last_error()->message, "credential callback"));
}

/* ---- cancel, deadlines, lost connections ------------------------------------------------------------------------------------------- */

static void *cancel_soon(void *ud) {
    struct timespec t = { 0, 200000000 };
    (void)nanosleep(&t, NULL);
    (void)dbm_cancel((dbm_session *)ud);
    return NULL;
}

static void a_statement_can_be_cancelled(void **state) {
    static const char *const slow[] = { "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000000) SELECT count(*) FROM c", "SELECT pg_sleep(20)" };
    dbm_stats_info stats;
    pthread_t thread;
    dbm_status rc;
    long began = now_ms();
    (void)state;
    make_table();
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_session copy = *s;
        dbm_row *row;
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &copy), 0);
        assert_int_equal(dbm_query_one(s, &row, slow[source]), DBM_E_CANCELLED);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_true(now_ms() - began < 5000);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 3);
    dbm_stats(db(), &stats);
    assert_int_equal(stats.connects, 1); /* it is as good as before */
}

static void a_deadline_ends_a_statement(void **state) {
    dbm_status rc;
    long began = now_ms();
    (void)state;
    DBM_SESSION_OPT(mgr, "", s, .timeout_ms = 300, .status = &rc) {
        dbm_row *row;
        assert_int_equal(dbm_query_one(s, &row, "SELECT pg_sleep(20)"), DBM_E_TIMEOUT); /* within ODBC's whole seconds */
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_in_range(now_ms() - began, 300, 3000);
    assert_int_equal(count_of("SELECT 7"), 7);
    began = now_ms();
    assert_int_equal(dbm_exec(db(), "SELECT pg_sleep(1.5)"), DBM_OK); /* the limit was that session's alone */
}

static void killed_connections_are_seen(void **state) {
    dbm_stats_info stats;
    dbm_status rc;
    char out[64];
    (void)state;
    make_table();
    servers_sql(&fresh, "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();", out, sizeof out);
    assert_string_equal(out, "1");
    assert_int_equal(count_of("SELECT count(*) FROM t"), 3); /* at idle: nobody notices */
    DBM_SESSION_RC(mgr, "", s, &rc) {
        assert_int_equal(dbm_exec(s, "DELETE FROM t"), DBM_OK);
        servers_sql(&fresh, "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();", out, sizeof out);
        assert_int_equal(dbm_exec(s, "DELETE FROM t"), DBM_E_LOST);
        assert_true(dbm_last_error()->retryable);
    }
    assert_int_equal(rc, DBM_E_LOST);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 3);
    DBM_SESSION_RC(mgr, "", s, &rc) {
        assert_int_equal(dbm_exec(s, "DELETE FROM t"), DBM_OK);
        servers_sql(&fresh, "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();", out, sizeof out);
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT); /* the COMMIT was sent into the void */
    assert_int_equal(count_of("SELECT count(*) FROM t"), 3);
    dbm_stats(db(), &stats);
    assert_int_equal(stats.out, 0);
    assert_int_equal(dbm_health(mgr, NULL, NULL), DBM_OK);
}

static void a_child_has_its_own(void **state) {
    int status = 0;
    pid_t child;
    (void)state;
    make_table();
    child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(dbm_exec(db(), "INSERT INTO t VALUES (4, 'child')") == DBM_OK ? 0 : 1);
    while (waitpid(child, &status, 0) < 0) {}
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(count_of("SELECT count(*) FROM t"), 4);
    {
        dbm_stats_info stats;
        dbm_stats(db(), &stats);
        assert_int_equal(stats.connects, 1);
    }
}

static void the_native_handle(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        char name[64];
        SQLSMALLINT size;
        SQLHDBC dbc = (SQLHDBC)dbm_native(s, "odbc");
        assert_non_null(dbc);
        assert_int_equal(SQLGetInfo(dbc, SQL_DBMS_NAME, name, sizeof name, &size), SQL_SUCCESS);
        assert_string_equal(name, source == SQLITE ? "SQLite" : "PostgreSQL");
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(dbm_script(db(), "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1); INSERT INTO a VALUES (2);"), DBM_OK);
    assert_int_equal(count_of("SELECT sum(x) FROM a"), 3);
}

static void no_memory_is_told_and_nothing_leaks(void **state) {
    long n;
    int failed = 0;
    (void)state;
    make_table();
    for (n = 1; n < 500; n++) {
        dbm_status rc;
        close_again();
        open_with(DBM_CONFIG(.pool.size = 1, .pool.max_overflow = -1));
        if (db() == NULL) fail();
        test_heap_fail(&heap, n);
        DBM_SESSION_RC(mgr, "", s, &rc) {
            DBM_EACH(s, row, "SELECT id, name FROM t WHERE id > ? AND name <> ?", 0, "none") {
                dbm_exec(s, "UPDATE t SET name = name WHERE id = ?", dbm_row_int(row, 0));
                (void)dbm_row_text(row, 1);
            }
        }
        if (rc != DBM_OK) assert_int_equal(rc, DBM_E_NOMEM);
        if (heap.failed == 0) break;
        failed++;
    }
    assert_true(failed > 10 && n < 500);
}

static void the_program_runs(void **state) {
    (void)state;
    (void)setenv("ODBC_URL", url, 1);
    assert_int_equal(example_main(), 0);
    (void)setenv("ODBC_URL", "odbc:///no_such_source", 1);
    assert_int_equal(example_main(), 1);
}

int main(void) {
#define BOTH(name) { #name " on SQLite", name, setup_sqlite, teardown, NULL }, { #name " on PostgreSQL", name, setup_postgresql, teardown, NULL }
#define ONE(name, where) { #name, name, setup_##where, teardown, NULL }
    const struct CMUnitTest tests[] = {
        BOTH(values_come_back), BOTH(long_values_come_back), BOTH(transactions_end_as_asked), BOTH(statements_are_prepared_once), BOTH(statements_run_inside_a_loop),
        BOTH(errors_are_told_by_kind), BOTH(configurations_are_checked), BOTH(a_statement_can_be_cancelled), ONE(a_deadline_ends_a_statement, postgresql), ONE(a_locked_file_can_be_tried_again, sqlite), ONE(threads_share_the_pool, postgresql), BOTH(credentials_are_asked_for),
        ONE(killed_connections_are_seen, postgresql), BOTH(a_child_has_its_own), BOTH(the_native_handle), ONE(no_memory_is_told_and_nothing_leaks, sqlite),
        BOTH(the_program_runs)
    };
    return cmocka_run_group_tests_name("adapter_odbc", tests, NULL, NULL);
}
