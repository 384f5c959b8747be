/* dbm_script on a real SQLite database: statements taken apart, all of them or none, the line of the first failure. */
#include "dbm_test.h"

static test_dir dir;
static dbm_manager *mgr;
static dbm_database *db;

static int open_all(void **state) {
    dbm_config config;
    (void)state;
    test_dir_make(&dir);
    memset(&config, 0, sizeof config);
    config.url = test_dir_url(&dir, "script.db");
    assert_int_equal(dbm_manager_create(&mgr, NULL), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, &config), DBM_OK);
    db = dbm_get(mgr, NULL);
    assert_non_null(db);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    return 0;
}

static void assert_says(const char *part) {
    const char *message = dbm_last_error()->message;
    if (strstr(message, part) == NULL) fail_msg("the message is '%s', without '%s'", message, part);
}

static int64_t number_of(const char *sql) {
    int64_t n = -1;
    DBM_SESSION_ON(db, s) DBM_EACH(s, row, sql) n = dbm_row_int(row, 0);
    return n;
}

static const char schema[] =
    "-- a schema; with a semicolon in a comment\n"
    "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, stock INTEGER);;\n"
    "/* two\n   lines; */ CREATE TABLE change (item INTEGER, by INTEGER);\n"
    "CREATE TRIGGER track AFTER UPDATE ON item BEGIN\n"
    "    INSERT INTO change VALUES (new.id, new.stock - old.stock);\n"
    "    SELECT CASE WHEN new.stock < 0 THEN RAISE(ABORT, 'out of stock') END;\n"
    "END;\n"
    "INSERT INTO item VALUES (1, 'semi;colon -- ''quoted''', 5), (2, 'x;y', 6);\n"
    "SELECT * FROM item;\n"
    "UPDATE item SET stock = stock + 1\n"
    "  -- the last one has no semicolon\n";

static void statements_run_one_after_the_other(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    assert_int_equal(dbm_exec(db, "CREATE TABLE unrelated (a)"), DBM_OK);
    assert_int_equal(dbm_script(db, schema), DBM_OK);
    assert_int_equal(number_of("SELECT sum(stock) FROM item"), 13);
    assert_int_equal(number_of("SELECT count(*) FROM change"), 2);
    assert_int_equal(number_of("SELECT name = 'semi;colon -- ''quoted''' FROM item WHERE id = 1"), 1);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_script(s, "INSERT INTO item VALUES (3, 'a', 1); INSERT INTO item VALUES (4, 'b', 1);"), DBM_OK);
        dbm_rollback(s); /* it was part of the session's transaction */
    }
    assert_int_equal(rc, DBM_ROLLED_BACK);
    assert_int_equal(number_of("SELECT count(*) FROM item"), 2);
}

static void nothing_is_nothing(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    assert_int_equal(dbm_script(db, ""), DBM_OK);
    assert_int_equal(dbm_script(db, " \n\t ;; ; -- only a comment"), DBM_OK);
    assert_int_equal(dbm_script(db, "/* ; */"), DBM_OK);
    assert_int_equal(dbm_script(db, NULL), DBM_E_MISUSE);
    assert_int_not_equal(dbm_script((dbm_database *)NULL, "SELECT 1"), DBM_OK);
    assert_int_not_equal(dbm_script((dbm_session *)NULL, "SELECT 1"), DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(dbm_script(s, " "), DBM_OK);
    assert_int_equal(rc, DBM_OK);
}

static void the_first_failure_names_its_line(void **state) {
    dbm_status rc = DBM_OK;
    int failed = 0;
    (void)state;
    assert_int_equal(dbm_script(db, "CREATE TABLE a (x UNIQUE);\n\nINSERT INTO a VALUES (1);\nINSERT INTO nowhere VALUES (1);\nDROP TABLE a"), DBM_E_SQL);
    assert_says("line 4 of the script: ");
    assert_says("nowhere");
    assert_non_null(strstr(dbm_last_error()->site, "test_script.c:"));
    assert_int_equal(number_of("SELECT count(*) FROM sqlite_master"), 0); /* all or nothing */

    assert_int_equal(dbm_script(db, "SELEC 1"), DBM_E_SQL);
    assert_says("line 1 of the script: ");
    /* Comments and blank lines in front of a statement are not where it begins; comments behind its first word are. */
    assert_int_equal(dbm_script(db, "SELECT 1; -- one\n-- two\n/* three\n   four\n\n */ /* six */\n-- seven\n  SELEC\n-- nine\n 1"), DBM_E_SQL);
    assert_says("line 8 of the script: ");
    assert_int_equal(dbm_script(db, "SELECT 1;\nSELECT 2; /* three\n */ SELEC 3"), DBM_E_SQL);
    assert_says("line 3 of the script: ");

    assert_int_equal(dbm_script(db, "/**/\n/* a\n * b */ -- c\n-- d\n- 1"), DBM_E_SQL);
    assert_says("line 5 of the script: ");
    assert_int_equal(dbm_script(db, "\n#\n1"), DBM_E_SQL);
    assert_says("line 2 of the script: ");

    assert_int_equal(dbm_exec(db, "CREATE TABLE a (x UNIQUE)"), DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_script(s, "INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2);"), DBM_E_CONSTRAINT);
        assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_UNIQUE);
        assert_int_equal(dbm_script(s, "INSERT INTO a VALUES (3);"), DBM_E_CONSTRAINT); /* it sticks, with the line that it was */
        assert_says("line 2 of the script: ");
        assert_null(strstr(dbm_last_error()->message, "line 1"));
    }
    DBM_FAILED(err) {
        failed++;
        assert_int_equal(err->status, DBM_E_CONSTRAINT);
        assert_non_null(strstr(err->message, "line 2 of the script: "));
    }
    assert_int_equal(failed, 1);
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    assert_int_equal(number_of("SELECT count(*) FROM a"), 0);
}

static void what_a_script_may_not_hold(void **state) {
    (void)state;
    assert_int_equal(dbm_script(db, "CREATE TABLE a (x);\nBEGIN;\nINSERT INTO a VALUES (1);\nCOMMIT;"), DBM_E_MISUSE);
    assert_says("line 2 of the script: ");
    assert_int_equal(number_of("SELECT count(*) FROM sqlite_master"), 0);
    assert_int_equal(dbm_script(db, "CREATE TABLE a (x);\nINSERT INTO a VALUES (?);"), DBM_E_MISUSE);
    assert_says("line 2 of the script: ");
    assert_int_equal(dbm_script(db, "SELECT 1;\nSELECT 'not closed;\nSELECT 2;"), DBM_E_MISUSE);
    assert_says("line 2 of the script: ");
    assert_int_equal(number_of("SELECT count(*) FROM sqlite_master"), 0);
}

static void memory_may_run_out_anywhere(void **state) {
    test_heap heap;
    dbm_options options;
    dbm_config config;
    dbm_manager *m = NULL;
    dbm_database *d;
    long n;
    (void)state;
    memset(&heap, 0, sizeof heap);
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    options.allocator = test_heap_allocator(&heap);
    config.url = "sqlite:///:memory:";
    config.statement_cache = -1;
    assert_int_equal(dbm_manager_create(&m, &options), DBM_OK);
    assert_int_equal(dbm_add_database(m, &config), DBM_OK);
    d = dbm_get(m, NULL);
    assert_non_null(d);
    assert_int_equal(dbm_exec(d, "SELECT 1"), DBM_OK);
    for (n = 1; n < 500; n++) {
        dbm_status st;
        test_heap_fail(&heap, n);
        st = dbm_script(d, "CREATE TABLE a (x);\nINSERT INTO a VALUES ('this one is longer than the one before it');\nSELECT * FROM a;");
        test_heap_fail(&heap, 0);
        if (st == DBM_OK) break;
        assert_int_equal(st, DBM_E_NOMEM);
    }
    assert_true(n > 1 && n < 500);
    dbm_manager_free(m);
    assert_int_equal(test_heap_live(&heap), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(statements_run_one_after_the_other), TEST(nothing_is_nothing), TEST(the_first_failure_names_its_line),
        TEST(what_a_script_may_not_hold), TEST(memory_may_run_out_anywhere)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
