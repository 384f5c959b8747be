/* What the tests of the PostgreSQL adapter begin with, after dbm_test.h and test_servers.h: a fresh database and another client on it, a manager with one
 * database whose memory and log are watched, and what it must have left when it is closed. A test is T(name): cmocka's set-up is open_db(), its tear-down
 * close_db(); the group's are make_fresh() and drop_fresh(). Before it is included, TEST_POSTGRESQL_FRESH may be statements for the fresh database, and
 * TEST_POSTGRESQL_OVERFLOW the max_overflow of a pool (-1: none). */
#ifndef DBM_TEST_POSTGRESQL_H
#define DBM_TEST_POSTGRESQL_H

#include <libpq-fe.h>
#ifndef TEST_POSTGRESQL_FRESH
#define TEST_POSTGRESQL_FRESH ""
#endif
#ifndef TEST_POSTGRESQL_OVERFLOW
#define TEST_POSTGRESQL_OVERFLOW -1
#endif

static servers_database fresh;
static dbm_manager *mgr;
static dbm_database *db;
static PGconn *raw; /* another client, without dbm.h */
static test_log logged;
static test_heap heap;

#define OK(call) do { if ((call) != DBM_OK) fail_msg("%s: %s %s", #call, dbm_status_name(dbm_last_error()->status), dbm_last_error()->message); } while (0)

/* The other client: statements, and the first cell of the last one. */
TEST_HELPER const char *raw_text(const char *sql) {
    static char text[512];
    PGresult *res = PQexec(raw, sql);
    if (PQresultStatus(res) != PGRES_TUPLES_OK && PQresultStatus(res) != PGRES_COMMAND_OK) fail_msg("%s: %s", sql, PQerrorMessage(raw));
    (void)snprintf(text, sizeof text, "%s", PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);
    return text;
}
TEST_HELPER long raw_number(const char *sql) { return strtol(raw_text(sql), NULL, 10); }

TEST_HELPER int make_fresh(void **state) {
    (void)state;
    servers_fresh(&fresh, "postgresql");
    raw = PQconnectdb(fresh.url);
    if (PQstatus(raw) != CONNECTION_OK) fail_msg("%s", PQerrorMessage(raw));
    (void)raw_text("SET client_min_messages = error; " TEST_POSTGRESQL_FRESH);
    return 0;
}
TEST_HELPER int drop_fresh(void **state) {
    (void)state;
    PQfinish(raw);
    servers_drop(&fresh);
    return 0;
}

/* Configures, and opens unless it is to be seen whether that works. */
TEST_HELPER void configure(const dbm_config *given) {
    dbm_options options;
    dbm_config config;
    memset(&options, 0, sizeof options);
    memset(&heap, 0, sizeof heap);
    test_log_clear(&logged);
    options.log = test_log_hook;
    options.log_ud = &logged;
    options.allocator = test_heap_allocator(&heap);
    options.no_env = true;
    memset(&config, 0, sizeof config);
    if (given != NULL) config = *given;
    if (config.url == NULL) config.url = fresh.url;
    if (config.pool.size == 0) config.pool.size = 1;
    if (config.pool.max_overflow == 0) config.pool.max_overflow = TEST_POSTGRESQL_OVERFLOW;
    db = NULL;
    OK(dbm_manager_create(&mgr, &options));
    OK(dbm_add_database(mgr, &config));
}
TEST_HELPER void open_with(const dbm_config *given) {
    configure(given);
    OK(dbm_init_all(mgr));
    db = dbm_get(mgr, NULL);
}
TEST_HELPER int open_db(void **state) {
    (void)state;
    open_with(NULL);
    return 0;
}
TEST_HELPER int close_db(void **state) {
    dbm_stats_info st;
    (void)state;
    if (mgr == NULL) return 0;
    if (db != NULL) {
        OK(dbm_stats(db, &st));
        assert_int_equal(st.out, 0);
    }
    dbm_manager_free(mgr);
    mgr = NULL;
    assert_int_equal(test_heap_live(&heap), 0);
    assert_null(strstr(test_log_text(&logged), "s3cret"));
    return 0;
}
TEST_HELPER void reopen(const dbm_config *config) {
    assert_int_equal(close_db(NULL), 0);
    open_with(config);
}

#endif
