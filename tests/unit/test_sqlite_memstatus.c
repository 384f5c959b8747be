/* DBM_SQLITE_NO_MEMSTATUS: SQLite counts no memory, when dbm.h is the first to use it; else the log says that it still does.
 * The rooms as separate files are built without the switch, and then there is nothing to test. */
#if !defined(DBM_TEST_SPLIT)
#  define DBM_SQLITE_NO_MEMSTATUS
#endif
#define DBM_TEST_WHOLE
#include "dbm_test.h"
#include <sqlite3.h>

#if defined(DBM_TEST_SPLIT)
static void test_nothing(void **state) { (void)state; }
int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else

static int notices;
static void on_log(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    (void)ud;
    (void)level;
    (void)database;
    notices += event_id == DBM_EVENT_NOTICE && strstr(text, "DBM_SQLITE_NO_MEMSTATUS") != NULL;
}

static void use_it(void) {
    dbm_options options;
    dbm_manager *mgr = NULL;
    dbm_status rc = DBM_E_MISUSE;
    memset(&options, 0, sizeof options);
    options.log = on_log;
    notices = 0;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "default", .url = "sqlite:///:memory:")), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "other", .url = "sqlite:///:memory:")), DBM_OK);
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
    DBM_SESSION_RC(mgr, "default", s, &rc) dbm_exec(s, "CREATE TABLE t (a)");
    assert_int_equal(rc, DBM_OK);
    dbm_manager_free(mgr);
}

static void test_first(void **state) {
    (void)state;
    use_it();
    assert_int_equal(sqlite3_memory_used(), 0);
    assert_int_equal(notices, 0);
    use_it(); /* SQLite is in use now, and as it was set */
    assert_int_equal(notices, 0);
}

static void test_too_late(void **state) {
    (void)state;
    assert_int_equal(sqlite3_shutdown(), SQLITE_OK);
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 1), SQLITE_OK);
    assert_int_equal(sqlite3_initialize(), SQLITE_OK);
    use_it();
    assert_int_equal(notices, 2); /* a connection of each database */
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_first), cmocka_unit_test(test_too_late) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
