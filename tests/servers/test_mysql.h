/* What the tests of the MySQL adapter begin with, after dbm_test.h and test_servers.h: a manager with two databases on one fresh database of a server;
 * its memory and log are watched, and its memory must all have been given back at the end. */
#ifndef DBM_TEST_MYSQL_H
#define DBM_TEST_MYSQL_H

#include <mysql.h>
#if defined(MARIADB_PACKAGE_VERSION) || defined(MARIADB_BASE_VERSION)
#  define MARIADBS_CLIENT 1
#else
#  define MARIADBS_CLIENT 0
#endif

static struct {
    test_heap heap;
    test_log log;
    servers_own own; /* where a test starts one */
    servers_database server;
    dbm_manager *mgr;
    dbm_database *db, *other; /* other: a second program, so to speak, that waits for no lock longer than a second */
} fx;

TEST_HELPER const char *message(void) { return dbm_last_error()->message; }
TEST_HELPER void says(const char *part) {
    if (strstr(message(), part) == NULL) fail_msg("\"%s\" does not say \"%s\"", message(), part);
}
#define OK(call) do { if ((call) != DBM_OK) fail_msg("%s: %s", #call, message()); } while (0)
#define IS(call, status) do { dbm_status is_ = (call); if (is_ != (status)) fail_msg("%s is %s: %s", #call, dbm_status_name(is_), message()); } while (0)

/* fx.server is there already. */
TEST_HELPER void open_both(void) {
    dbm_options options;
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&fx.heap);
    test_log_clear(&fx.log);
    options.log = test_log_hook;
    options.log_ud = &fx.log;
    OK(dbm_manager_create(&fx.mgr, &options));
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "default", .url = fx.server.url)));
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "other", .url = fx.server.url, .init_sql = "SET lock_wait_timeout=1, innodb_lock_wait_timeout=1")));
    OK(dbm_init_all(fx.mgr));
    fx.db = dbm_get(fx.mgr, "default");
    fx.other = dbm_get(fx.mgr, "other");
}

TEST_HELPER int teardown(void **state) {
    (void)state;
    dbm_manager_free(fx.mgr);
    servers_drop(&fx.server);
    if (fx.own.dir[0] != '\0') servers_remove(&fx.own);
    assert_int_equal(test_heap_live(&fx.heap), 0);
    return 0;
}

TEST_HELPER int64_t number_of(dbm_session *s, const char *sql) {
    dbm_row *row;
    OK(dbm_query_one(s, &row, sql));
    return dbm_row_int(row, 0);
}
TEST_HELPER int64_t number(dbm_database *db, const char *sql) {
    int64_t v = -1;
    dbm_session s;
    OK(dbm_session_begin(db, NULL, &s));
    v = number_of(&s, sql);
    OK(dbm_session_end(&s));
    return v;
}

/* Whether the table can be altered: nobody holds a lock on it. */
TEST_HELPER void assert_unlocked(const char *table) {
    char sql[100];
    (void)snprintf(sql, sizeof sql, "ALTER TABLE %s COMMENT = 'x'", table);
    if (dbm_exec(fx.other, sql) != DBM_OK) fail_msg("%s is locked: %s", table, message());
}

#endif
