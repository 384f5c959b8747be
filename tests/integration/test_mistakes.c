/* Typical mistakes of a new user, and the message that each gets: what is wrong, where, and what to do about it. Those that the compiler
 * or the linker answers are in tests/portability/mistakes.sh. */
#include "dbm_test.h"

static test_dir dir;
static dbm_manager *mgr;
static dbm_database *db;
static test_log said; /* what went to the log */

static int open_all(void **state) {
    dbm_options options;
    (void)state;
    test_dir_make(&dir);
    test_log_clear(&said);
    memset(&options, 0, sizeof options);
    options.log = test_log_hook;
    options.log_ud = &said;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "shop", .url = test_dir_url(&dir, "shop.db"))), DBM_OK);
    db = dbm_get(mgr, "shop");
    assert_non_null(db);
    assert_int_equal(dbm_script(db, "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL); INSERT INTO item VALUES (1, 'nail', NULL);"), DBM_OK);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    return 0;
}

/* The words that the last failure must hold, up to a NULL. */
static void says_in(const char *text, const char *const *parts) {
    for (; *parts != NULL; parts++) {
        if (strstr(text, *parts) == NULL) fail_msg("the message is '%s', without '%s'", text, *parts);
    }
}
#define SAYS(status_wanted, ...) do { \
        static const char *const parts_[] = { __VA_ARGS__, NULL }; \
        assert_string_equal(dbm_status_name(dbm_last_error()->status), dbm_status_name(status_wanted)); \
        says_in(dbm_last_error()->message, parts_); \
    } while (0)
/* The last failure is of this line of this file; of the line above, where it is written on a line of its own. */
#define HERE(above) here(__LINE__ - (above))
static void here(int line) {
    char site[64];
    snprintf(site, sizeof site, "test_mistakes.c:%d", line);
    if (strstr(dbm_last_error()->site, site) == NULL) fail_msg("the place is '%s', not '%s'", dbm_last_error()->site, site);
}
static dbm_status load(const char *text) { return dbm_load_text(mgr, text, SIZE_MAX); }

/* ---- configuration ----------------------------------------------------------------------------------------------------- */

static void a_misspelt_key(void **state) {
    (void)state;
    assert_int_equal(load("[databases.a]\nurl = sqlite:///a.db\npoolsize = 3\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":3:", "[databases.a]", "poolsize", "unknown key", "did you mean 'pool_size'?");
}

static void a_misspelt_key_of_the_adapter(void **state) {
    (void)state;
    assert_int_equal(load("[databases.a]\nurl = sqlite:///a.db\nbusy_timout = 3s\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":3:", "busy_timout", "did you mean 'busy_timeout'?");
}

static void a_misspelt_section(void **state) {
    (void)state;
    assert_int_equal(load("[database.a]\nurl = sqlite:///a.db\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":1:", "[database.a]", "[databases.NAME]");
}

static void several_mistakes_at_once(void **state) {
    (void)state;
    assert_int_equal(load("[databases.a]\nurl = sqlite:///a.db\npool_size = many\npool_timeout = soon\n\n[databases.b]\necho = loud\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":3: [databases.a] pool_size: expected a whole number from 1 to 1000, not 'many'", ":4: [databases.a] pool_timeout: expected a time such as 30s",
         ":7: [databases.b] echo: expected false, true or values, not 'loud'", "[databases.b] url: it is missing; for example sqlite:///file.db");
    assert_null(dbm_get(mgr, "a"));
}

static void a_wrong_type(void **state) {
    (void)state;
    assert_int_equal(load("[databases.a]\ntype = sqlit\nurl = sqlite:///a.db\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":2:", "type", "'sqlit'", "did you mean 'sqlite'?", "known types: sqlite");
}

static void a_type_that_is_not_compiled_in(void **state) {
    (void)state;
#if DBM_HAS_POSTGRESQL
    assert_true(dbm_compiled_with("postgresql"));
#else
    assert_false(dbm_compiled_with("postgresql"));
    assert_int_equal(load("[databases.a]\nurl = postgresql://app:geheim@db1/shop\n"), DBM_E_NOT_COMPILED);
    SAYS(DBM_E_NOT_COMPILED, ":2:", "[databases.a]", "postgresql", "DBM_WITH_POSTGRESQL", "libpq-dev");
    assert_null(strstr(dbm_last_error()->message, "geheim"));
#endif
}

static void a_pool_without_connections(void **state) {
    (void)state;
    assert_int_equal(load("[databases.a]\nurl = sqlite:///a.db\npool_size = 0\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":3:", "pool_size", "without limit", "1,000");
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "a", .url = "sqlite:///a.db", .pool.size = -1)), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, "[a]", "pool.size", "from 1 to 1000", "not -1");
}

static void a_variable_that_is_not_set(void **state) {
    (void)state;
    assert_int_equal(load("[databases.a]\nurl = sqlite:///${DBM_TEST_NOT_SET}/a.db\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":2:", "url", "DBM_TEST_NOT_SET is not set", "${DBM_TEST_NOT_SET:-default}");
}

static void two_slashes_in_the_url(void **state) {
    (void)state;
    assert_int_equal(load("[databases.a]\nurl = sqlite://a.db\n"), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, ":2:", "sqlite:///relative.db", "sqlite:////absolute/path.db");
}

static void a_file_that_is_not_there(void **state) {
    (void)state;
    assert_int_equal(dbm_load(mgr, test_dir_file(&dir, "integraton.ini")), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, "integraton.ini", "cannot be opened");
}

static void the_same_name_twice(void **state) {
    (void)state;
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "shop", .url = "sqlite:///b.db")), DBM_E_CONFIG);
    SAYS(DBM_E_CONFIG, "'shop'", "exists already");
}

static void an_unknown_database(void **state) {
    dbm_error_info why;
    (void)state;
    assert_null(dbm_get(mgr, "shpo"));
    assert_string_equal(dbm_last_error()->message, "no database is named 'shpo'; did you mean 'shop', the only one there is?");
    DBM_SESSION(mgr, "nobody", s) fail_msg("the body runs");
    assert_true(dbm_session_failed(&why));
    assert_int_equal(why.status, DBM_E_UNKNOWN_NAME);
    DBM_SESSION(mgr, NULL, s) fail_msg("the body runs");
    assert_string_equal(dbm_last_error()->message, "no database is named 'default'; the only one is 'shop'");
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "stock", .url = "sqlite:///:memory:")), DBM_OK);
    assert_null(dbm_get(mgr, "shpo"));
    assert_string_equal(dbm_last_error()->message, "no database is named 'shpo'; did you mean 'shop'? There are: shop, stock");
    assert_null(dbm_get(mgr, "elsewhere"));
    assert_string_equal(dbm_last_error()->message, "no database is named 'elsewhere'; there are: shop, stock");
}

static void nothing_configured(void **state) {
    dbm_manager *empty = NULL;
    (void)state;
    assert_int_equal(dbm_manager_create(&empty, NULL), DBM_OK);
    assert_null(dbm_get(empty, "shop"));
    SAYS(DBM_E_UNKNOWN_NAME, "none is configured", "dbm_load", "dbm_add_database");
    dbm_manager_free(empty);
}

/* ---- the file ---------------------------------------------------------------------------------------------------------- */

static void the_directory_is_missing(void **state) {
    (void)state;
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "a", .url = test_dir_url(&dir, "nowhere/a.db"))), DBM_OK);
    assert_int_equal(dbm_init_all(mgr), DBM_E_CONNECT);
    SAYS(DBM_E_CONNECT, "'a'", "nowhere/a.db", "its directory does not exist", "create it");
}

static void a_file_that_is_no_database(void **state) {
    char text[2000];
    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    test_dir_write(&dir, "notes.txt", text);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "a", .url = test_dir_url(&dir, "notes.txt"))), DBM_OK);
    assert_int_not_equal(dbm_init_all(mgr), DBM_OK);
    SAYS(DBM_E_CONNECT, "'a'", "notes.txt", "is not an SQLite database");
}

static void a_read_only_file(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "a", .url = test_dir_url(&dir, "shop.db?mode=ro"))), DBM_OK);
    DBM_SESSION_RC(mgr, "a", s, &rc) dbm_exec(s, "DELETE FROM item");
    assert_int_equal(rc, DBM_E_READ_ONLY);
    SAYS(DBM_E_READ_ONLY, "read", "DELETE FROM item");
}

static void writing_in_a_read_only_session(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    DBM_SESSION_OPT(mgr, "shop", s, .read_only = true, .status = &rc) dbm_exec(s, "DELETE FROM item");
    assert_int_equal(rc, DBM_E_READ_ONLY);
    SAYS(DBM_E_READ_ONLY, ".read_only", "DELETE FROM item");
}

/* ---- statements -------------------------------------------------------------------------------------------------------- */

static void a_wrong_number_of_values(void **state) {
    (void)state;
    assert_int_equal(dbm_exec(db, "INSERT INTO item VALUES (?, ?, ?)", 2, "screw"), DBM_E_MISUSE);
    HERE(1);
    SAYS(DBM_E_MISUSE, "3 placeholders", "2 values", "INSERT INTO item");
    assert_int_equal(dbm_exec(db, "DELETE FROM item WHERE name = '?'", "nail"), DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "0 placeholders", "1 value");
    assert_int_equal(dbm_exec(db, "DELETE FROM item WHERE id = :id", 1), DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "dbm_named");
    assert_int_equal(dbm_exec(db, "DELETE FROM item WHERE id = :id", dbm_named("di", dbm_int(1))), DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "'di'", "did you mean 'id'?");
}

static void a_misspelt_table(void **state) {
    (void)state;
    assert_int_equal(dbm_exec(db, "DELETE FROM itme"), DBM_E_SQL);
    HERE(1);
    SAYS(DBM_E_SQL, "no such table: itme", "DELETE FROM itme");
    assert_string_equal(dbm_last_error()->database, "shop");
}

static void bad_grammar(void **state) {
    (void)state;
    assert_int_equal(dbm_exec(db, "SELEC * FROM item"), DBM_E_SQL);
    SAYS(DBM_E_SQL, "SELEC", "syntax error");
}

static void several_statements_in_one_call(void **state) {
    (void)state;
    assert_int_equal(dbm_exec(db, "DELETE FROM item WHERE id = 7; DELETE FROM item WHERE id = 8"), DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "dbm_script");
}

static void a_raw_begin(void **state) {
    static const char *const words[] = { "BEGIN", "begin immediate", "COMMIT", "ROLLBACK", "  /* now */ END" };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        dbm_status rc = DBM_OK;
        DBM_SESSION_RC(mgr, "shop", s, &rc) dbm_exec(s, words[i]);
        assert_int_equal(rc, DBM_E_MISUSE);
        SAYS(DBM_E_MISUSE, "session", "dbm_");
    }
}

static void a_constraint(void **state) {
    (void)state;
    assert_int_equal(dbm_exec(db, "INSERT INTO item(name) VALUES (?)", NULL), DBM_E_CONSTRAINT);
    SAYS(DBM_E_CONSTRAINT, "NOT NULL", "item.name");
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_NOT_NULL);
    assert_string_equal(dbm_last_error()->constraint_name, "item.name");
}

/* ---- rows -------------------------------------------------------------------------------------------------------------- */

static void null_into_a_number(void **state) {
    dbm_status rc = DBM_OK;
    double price = 1.0;
    (void)state;
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT price FROM item") dbm_scan(row, &price);
    }
    assert_int_equal(rc, DBM_E_RANGE);
    assert_true(price == 0.0);
    SAYS(DBM_E_RANGE, "column 0 (price) of row 1", "is NULL");
}

static void a_column_that_is_not_there(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT id, name FROM item") (void)dbm_row_int(row, 2);
    }
    assert_int_equal(rc, DBM_E_RANGE);
    SAYS(DBM_E_RANGE, "no column 2", "0 to 1");
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT id, name FROM item") assert_int_equal(dbm_row_index(row, "nmae"), -1);
    }
    assert_int_equal(rc, DBM_E_UNKNOWN_NAME);
    SAYS(DBM_E_UNKNOWN_NAME, "'nmae'", "id", "name");
}

static void targets_that_do_not_fit(void **state) {
    dbm_status rc = DBM_OK;
    int8_t small = 1;
    char tiny[4] = "?";
    int id = 0;
    (void)state;
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT id, name FROM item") dbm_scan(row, &id);
    }
    assert_int_equal(rc, DBM_E_RANGE);
    SAYS(DBM_E_RANGE, "dbm_scan has 1 target", "2 columns");
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT 1000 AS thousand") dbm_scan(row, &small);
    }
    assert_int_equal(rc, DBM_E_RANGE);
    SAYS(DBM_E_RANGE, "thousand", "1000");
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT name FROM item") dbm_scan(row, &tiny);
    }
    assert_int_equal(rc, DBM_E_RANGE);
    SAYS(DBM_E_RANGE, "name", "4");
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT name FROM item") dbm_scan(row, &id);
    }
    assert_int_equal(rc, DBM_E_RANGE);
    SAYS(DBM_E_RANGE, "column 0 (name) of row 1", "a text of 4 bytes is not an integer");
}

/* ---- sessions ---------------------------------------------------------------------------------------------------------- */

static void a_session_after_its_end(void **state) {
    dbm_session late;
    (void)state;
    memset(&late, 0, sizeof late);
    DBM_SESSION(mgr, "shop", s) late = *s;
    assert_int_equal(dbm_exec(&late, "DELETE FROM item"), DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "session has ended", "nothing was done");
    HERE(2);
    assert_int_equal(dbm_session_begin(db, NULL, &late), DBM_OK);
    assert_int_equal(dbm_session_end(&late), DBM_OK);
    assert_int_equal(dbm_session_end(&late), DBM_OK); /* does nothing */
    assert_int_equal(dbm_exec(&late, "DELETE FROM item"), DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "session has ended");
}

static dbm_status forgetful(void) {
    DBM_SESSION(mgr, "shop", s) return dbm_exec(s, "INSERT INTO item(name) VALUES ('screw')");
    return DBM_OK;
}

static void return_without_commit(void **state) {
    dbm_error_info why;
    (void)state;
    assert_int_equal(forgetful(), DBM_OK);
    assert_true(dbm_session_failed(&why));
    assert_int_equal(why.status, DBM_E_LEFT_EARLY);
    assert_non_null(strstr(why.message, "say dbm_commit(s) before return"));
    assert_non_null(strstr(why.message, "test_mistakes.c:"));
    assert_int_equal(test_log_count(&said, DBM_EVENT_LEFT_EARLY), 1);
    DBM_SESSION(mgr, "shop", s) DBM_EACH(s, row, "SELECT count(*) FROM item") assert_int_equal(dbm_row_int(row, 0), 1);
}

static void commit_in_a_loop_over_rows(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, "shop", s, &rc) {
        DBM_EACH(s, row, "SELECT id FROM item") (void)dbm_commit(s);
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "dbm_commit", "rows", "test_mistakes.c:");
}

static void the_outer_session_in_an_inner_block(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, "shop", outer, &rc) {
        DBM_SESSION(mgr, "shop", inner) assert_int_equal(dbm_exec(outer, "DELETE FROM item"), DBM_E_MISUSE);
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "inside it", "test_mistakes.c:");
}

static void a_pool_that_is_used_up(void **state) {
    dbm_session one;
    (void)state;
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "a", .url = test_dir_url(&dir, "a.db"), .pool.size = 1, .pool.max_overflow = -1, .pool.timeout_ms = 20)), DBM_OK);
    assert_int_equal(dbm_session_begin(dbm_get(mgr, "a"), NULL, &one), DBM_OK);
    DBM_SESSION(mgr, "a", s) fail_msg("the body runs");
    SAYS(DBM_E_POOL_TIMEOUT, "'a'", "1 of 1 are out", "test_mistakes.c:");
    dbm_session_end(&one);
}

static void a_call_on_a_session_that_did_not_begin(void **state) {
    dbm_session s;
    (void)state;
    assert_int_equal(dbm_session_begin(dbm_get(mgr, "nobody"), NULL, &s), DBM_E_UNKNOWN_NAME);
    assert_int_equal(dbm_exec(&s, "DELETE FROM item"), DBM_E_UNKNOWN_NAME);
    SAYS(DBM_E_UNKNOWN_NAME, "nobody");
}

static void what_is_never_given_back(void **state) {
    dbm_options options;
    dbm_manager *mine = NULL;
    dbm_session forgotten;
    (void)state;
    memset(&options, 0, sizeof options);
    options.grace_ms = -1;
    options.log = test_log_hook;
    options.log_ud = &said;
    assert_int_equal(dbm_manager_create(&mine, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mine, DBM_CONFIG(.name = "a", .url = test_dir_url(&dir, "a.db"))), DBM_OK);
    assert_int_equal(dbm_session_begin(dbm_get(mine, "a"), NULL, &forgotten), DBM_OK);
    assert_int_equal(dbm_close_all(mine), DBM_E_LEAKED);
    SAYS(DBM_E_LEAKED, "1 session", "test_mistakes.c:");
    dbm_session_end(&forgotten);
    dbm_manager_free(mine);
}

/* Of a NULL handle it is said which call has it, by name or by its place, and where one comes from. When something has failed before, that is said again: it is why it is NULL. */
#define NULLS(call, name, source) do { \
        memset(&dbm__self()->last, 0, sizeof dbm__self()->last); \
        (void)(call); \
        SAYS(DBM_E_MISUSE, "NULL", source); \
        if (strstr(dbm_last_error()->message, name) == NULL && strstr(dbm_last_error()->site, name) == NULL) fail_msg("%s: '%s' at '%s'", #call, dbm_last_error()->message, dbm_last_error()->site); \
        (void)dbm_get(mgr, "nobody"); \
        (void)(call); \
        assert_int_equal(dbm_last_error()->status, DBM_E_UNKNOWN_NAME); \
    } while (0)
#define PLACE "test_mistakes.c:"
static void what_is_null(void **state) {
    dbm_session *no_session = NULL;
    dbm_database *no_database = NULL;
    dbm_session s;
    dbm_rows *rows;
    dbm_row *row;
    dbm_statement *st;
    dbm_bulk *bulk;
    dbm_stats_info stats;
    char text[20];
    (void)state;
    NULLS(dbm_exec(no_session, "SELECT 1"), PLACE, "dbm_session_begin");
    NULLS(dbm_query(no_session, &rows, "SELECT 1"), PLACE, "dbm_session_begin");
    NULLS(dbm_query_one(no_session, &row, "SELECT 1"), PLACE, "dbm_session_begin");
    NULLS(dbm_prepare(no_session, "SELECT 1", &st), PLACE, "dbm_session_begin");
    NULLS(dbm_bulk_begin(no_session, &bulk, "t", "a"), PLACE, "dbm_session_begin");
    NULLS(dbm_script(no_session, "SELECT 1"), PLACE, "dbm_session_begin");
    NULLS(dbm_redis_get(no_session, &row, "k"), PLACE, "dbm_session_begin");
    NULLS(dbm_exec(no_database, "SELECT 1"), PLACE, "dbm_get");
    NULLS(dbm_query(no_database, &rows, "SELECT 1"), PLACE, "dbm_get");
    NULLS(dbm_script(no_database, "SELECT 1"), PLACE, "dbm_get");
    NULLS(dbm_redis_get(no_database, &row, "k"), PLACE, "dbm_get");
    NULLS(dbm_session_begin(no_database, NULL, &s), PLACE, "dbm_get");
    NULLS(dbm_session_end(NULL), "dbm_session_end", "dbm_session_begin");
    NULLS(dbm_commit(NULL), "dbm_commit", "dbm_session_begin");
    NULLS(dbm_rollback(NULL), "dbm_rollback", "dbm_session_begin");
    NULLS(dbm_cancel(NULL), "dbm_cancel", "dbm_session_begin");
    NULLS(dbm_clear_error(NULL), "dbm_clear_error", "dbm_session_begin");
    NULLS(dbm_status_of(NULL), "dbm_status_of", "dbm_session_begin");
    NULLS(dbm_affected(NULL), "dbm_affected", "dbm_session_begin");
    NULLS(dbm_last_id(NULL), "dbm_last_id", "dbm_session_begin");
    NULLS(dbm_native(NULL, "sqlite"), "dbm_native", "dbm_session_begin");
    NULLS(dbm_ident(NULL, text, sizeof text, "a"), "dbm_ident", "dbm_session_begin");
    NULLS(dbm_session_database(NULL), "dbm_session_database", "dbm_session_begin");
    NULLS(dbm_stmt_exec(NULL), PLACE, "dbm_prepare");
    NULLS(dbm_bulk_row(NULL, 1), "bulk", "dbm_bulk_begin");
    NULLS(dbm_bulk_end(NULL), "bulk", "dbm_bulk_begin");
    NULLS(dbm_bulk_abandon(NULL), "dbm_bulk_abandon", "dbm_bulk_begin");
    NULLS(dbm_rows_next(NULL, &row), "dbm_rows_next", "dbm_query");
    NULLS(dbm_rows_columns(NULL), "dbm_rows_columns", "dbm_query");
    NULLS(dbm_rows_name(NULL, 0), "dbm_rows_name", "dbm_query");
    NULLS(dbm_row_int(NULL, 0), "column", "dbm_query_one");
    NULLS(dbm_row_text(NULL, 0), "column", "dbm_query_one");
    NULLS(dbm_row_columns(NULL), "dbm_row_columns", "dbm_query_one");
    NULLS(dbm_row_name(NULL, 0), "dbm_row_name", "dbm_query_one");
    NULLS(dbm_row_index(NULL, "a"), "dbm_row_index", "dbm_query_one");
    NULLS(dbm_get(NULL, "a"), "dbm_get", "dbm_manager_create");
    NULLS(dbm_load(NULL, "a.ini"), "dbm_load", "dbm_manager_create");
    NULLS(dbm_load_text(NULL, "", 0), "dbm_load_text", "dbm_manager_create");
    NULLS(dbm_add_database(NULL, NULL), "dbm_add_database", "dbm_manager_create");
    NULLS(dbm_register(NULL, NULL), "dbm_register", "dbm_manager_create");
    NULLS(dbm_init_all(NULL), "dbm_init_all", "dbm_manager_create");
    NULLS(dbm_health(NULL, NULL, NULL), "dbm_health", "dbm_manager_create");
    NULLS(dbm_maintain(NULL), "dbm_maintain", "dbm_manager_create");
    NULLS(dbm_close_all(NULL), "dbm_close_all", "dbm_manager_create");
    NULLS(dbm_ping(NULL), "dbm_ping", "dbm_get");
    NULLS(dbm_stats(NULL, &stats), "dbm_stats", "dbm_get");
    NULLS(dbm_database_config(NULL), "dbm_database_config", "dbm_get");
    NULLS(dbm_db_native(NULL, "sqlite"), "dbm_db_native", "dbm_get");
}

/* ---- models ------------------------------------------------------------------------------------------------------------ */

typedef struct item { int64_t id; const char *name; double price; } item;
DBM_MODEL(item, "item", DBM_KEY(id), DBM_FIELD(name), DBM_FIELD(price));
typedef struct wide { int64_t id; const char *name; const char *colour; } wide;
DBM_MODEL(wide, "item", DBM_KEY(id), DBM_FIELD(name), DBM_FIELD(colour));

static void a_model_and_its_table(void **state) {
    const dbm_model *const models[] = { &wide_model };
    item one;
    dbm_status rc = DBM_OK;
    (void)state;
    assert_int_equal(dbm_create_all(db, models, 1), DBM_E_UNKNOWN_NAME);
    SAYS(DBM_E_UNKNOWN_NAME, "'item'", "'colour'", "never alters");
    DBM_SESSION_RC(mgr, "shop", s, &rc) assert_int_equal(dbm_find(s, &item_model, &one, 1), DBM_E_RANGE);
    SAYS(DBM_E_RANGE, "column 2 (price)", "is NULL");
    DBM_SESSION_RC(mgr, "shop", s, &rc) assert_int_equal(dbm_find(s, &item_model, &one, 5), DBM_E_NOT_FOUND);
    assert_int_equal(rc, DBM_OK);
    SAYS(DBM_E_NOT_FOUND, "'item'", "5");
}

static void the_wrong_model(void **state) {
    dbm_status rc = DBM_OK;
    char other[3] = "";
    (void)state;
    DBM_SESSION_RC(mgr, "shop", s, &rc) dbm_insert_struct(s, &item_model, &other);
    assert_int_equal(rc, DBM_E_MISUSE);
    SAYS(DBM_E_MISUSE, "'item'", "24 bytes", "has 3");
}

int main(void) {
#define MISTAKE(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
    const struct CMUnitTest tests[] = {
        MISTAKE(a_misspelt_key), MISTAKE(a_misspelt_key_of_the_adapter), MISTAKE(a_misspelt_section), MISTAKE(several_mistakes_at_once), MISTAKE(a_wrong_type),
        MISTAKE(a_type_that_is_not_compiled_in), MISTAKE(a_pool_without_connections), MISTAKE(a_variable_that_is_not_set), MISTAKE(two_slashes_in_the_url),
        MISTAKE(a_file_that_is_not_there), MISTAKE(the_same_name_twice), MISTAKE(an_unknown_database), MISTAKE(nothing_configured),
        MISTAKE(the_directory_is_missing), MISTAKE(a_file_that_is_no_database), MISTAKE(a_read_only_file), MISTAKE(writing_in_a_read_only_session),
        MISTAKE(a_wrong_number_of_values), MISTAKE(a_misspelt_table), MISTAKE(bad_grammar), MISTAKE(several_statements_in_one_call), MISTAKE(a_raw_begin),
        MISTAKE(a_constraint), MISTAKE(null_into_a_number), MISTAKE(a_column_that_is_not_there), MISTAKE(targets_that_do_not_fit),
        MISTAKE(a_session_after_its_end), MISTAKE(return_without_commit), MISTAKE(commit_in_a_loop_over_rows), MISTAKE(the_outer_session_in_an_inner_block),
        MISTAKE(a_pool_that_is_used_up), MISTAKE(a_call_on_a_session_that_did_not_begin), MISTAKE(what_is_null), MISTAKE(what_is_never_given_back), MISTAKE(a_model_and_its_table),
        MISTAKE(the_wrong_model)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
