/* An adapter of a user's own: examples/adapter_memcached.c, as it is, against a real memcached. */
/* cc: -lmemcached */
#include "dbm_test.h"
#include "servers/test_servers.h"

/* The example's dbm.h is the one that is here already. */
#undef DBM_WITH_INI
#define DBM__IMPLEMENTED
#define main example_main
#include "../../examples/adapter_memcached.c"
#undef main

static test_heap heap;
static test_log log_lines;
static dbm_manager *mgr;
static char url[128];

static void open_with(const char *where, const dbm_config *config) {
    dbm_options options;
    dbm_config own = *config;
    memset(&options, 0, sizeof options);
    test_log_clear(&log_lines);
    memset(&heap, 0, sizeof heap);
    options.allocator = test_heap_allocator(&heap);
    options.log = test_log_hook;
    options.log_ud = &log_lines;
    options.no_env = true;
    own.url = where;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_register(mgr, &memcached_adapter), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, &own), DBM_OK);
}
static void close_again(void) {
    dbm_manager_free(mgr);
    mgr = NULL;
    assert_int_equal(test_heap_live(&heap), 0);
}

static int setup(void **state) {
    (void)state;
    (void)snprintf(url, sizeof url, "memcached://%s", servers_variable("DBM_TEST_MEMCACHED"));
    open_with(url, DBM_CONFIG(.pool.size = 2, .pool.max_overflow = -1));
    dbm_exec(dbm_get(mgr, ""), "delete ?", "k");
    return 0;
}
static int teardown(void **state) {
    (void)state;
    close_again();
    return 0;
}

static const char *get(const char *key, char *out, size_t n) {
    dbm_row *row;
    dbm_status st = dbm_query_one(dbm_get(mgr, ""), &row, "get ?", key);
    (void)snprintf(out, n, "%s", st == DBM_OK ? dbm_row_text(row, 0) : dbm_status_name(st));
    if (st == DBM_OK) dbm_row_end(row);
    return out;
}

static void values_come_back(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_row *row;
        size_t size;
        assert_int_equal(dbm_exec(s, "set ? ?", "k", "v"), DBM_OK);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_query_one(s, &row, "get ?", "k"), DBM_OK);
        assert_string_equal(dbm_row_text(row, dbm_row_index(row, "value")), "v");
        assert_string_equal(dbm_row_text(row, dbm_row_index(row, "key")), "k");
        assert_int_equal(dbm_exec(s, "set ? ?", "k", dbm_blob("a\0b", 3)), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "get ?", "k"), DBM_OK);
        assert_memory_equal(dbm_row_blob(row, 0, &size), "a\0b", 4);
        assert_int_equal(size, 3);
        assert_int_equal(dbm_exec(s, "set ? ?", "k", ""), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "get ?", "k"), DBM_OK);
        assert_false(dbm_row_is_null(row, 0));
        assert_string_equal(dbm_row_text(row, 0), "");
        assert_int_equal(dbm_exec(s, "set ? ?", "k", -17), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "get ?", "k"), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), -17);
        assert_int_equal(dbm_exec(s, "set ? ?", "k", dbm_timestamp(0)), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "get ?", "k"), DBM_OK);
        assert_string_equal(dbm_row_text(row, 0), "1970-01-01 00:00:00");
    }
    assert_int_equal(rc, DBM_OK);
}

static void commands_do_what_they_say(void **state) {
    dbm_status rc;
    char text[64];
    (void)state;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_row *row;
        assert_int_equal(dbm_exec(s, "replace ? ?", "k", "x"), DBM_OK);
        assert_int_equal(dbm_affected(s), 0);
        assert_int_equal(dbm_exec(s, "add ? ?", "k", 10), DBM_OK);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_exec(s, "add ? ?", "k", 11), DBM_OK);
        assert_int_equal(dbm_affected(s), 0);
        assert_int_equal(dbm_query_one(s, &row, "incr ? ?", "k", 5), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 15);
        assert_int_equal(dbm_query_one(s, &row, "decr ? ?", "k", 6u), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 9);
        assert_int_equal(dbm_query_one(s, &row, "incr ? ?", "nobody", 1), DBM_E_NOT_FOUND);
        assert_int_equal(dbm_exec(s, "replace ? ?", "k", "x"), DBM_OK);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_exec(s, "touch ? ?", "k", 1), DBM_OK);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_exec(s, "touch ? ?", "nobody", 1), DBM_OK);
        assert_int_equal(dbm_affected(s), 0);
        assert_int_equal(dbm_exec(s, "set ? ? ?", "ttl", "v", 1), DBM_OK);
        assert_int_equal(dbm_exec(s, "set ? ?", "gone", "v"), DBM_OK);
        assert_int_equal(dbm_exec(s, "delete ?", "gone"), DBM_OK);
        assert_int_equal(dbm_affected(s), 1);
        assert_int_equal(dbm_exec(s, "delete ?", "gone"), DBM_OK);
        assert_int_equal(dbm_affected(s), 0);
    }
    assert_int_equal(rc, DBM_OK);
    sleep(2);
    assert_string_equal(get("k", text, sizeof text), "DBM_E_NOT_FOUND");
    assert_string_equal(get("ttl", text, sizeof text), "DBM_E_NOT_FOUND");
}

static void several_keys_are_rows(void **state) {
    dbm_status rc;
    int found = 0;
    (void)state;
    DBM_SESSION_RC(mgr, "", s, &rc) {
        dbm_exec(s, "set ? ?", "a", "1");
        dbm_exec(s, "set ? ?", "b", "2");
        DBM_EACH(s, row, "get ? ? ?", "a", "absent", "b") {
            int n = (int)dbm_row_int(row, 0);
            assert_int_equal(dbm_row_text(row, 1)[0], n == 1 ? 'a' : 'b');
            assert_int_equal(dbm_exec(s, "set ? ?", "a", 7), DBM_OK); /* the rows were there before */
            found += n;
        }
        DBM_EACH(s, row, "get ? ?", "a", "b") {
            (void)row;
            break;
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(found, 3);
}

static void mistakes_are_told(void **state) {
    static const struct { const char *sql; int values; dbm_status status; const char *text; } wrong[] = {
        { "steal ?", 1, DBM_E_SQL, "there is no such command" },
        { "get", 0, DBM_E_SQL, "too few" },
        { "set ?", 1, DBM_E_SQL, "too few" },
        { "delete ? ?", 2, DBM_E_SQL, "too many" },
        { "set k ?", 1, DBM_E_SQL, "a ? for each of its values" },
        { "set ? ?", 1, DBM_E_MISUSE, "2 placeholders and the call passes 1 value" },
        { "", 0, DBM_E_SQL, "" },
    };
    char *big = (char *)malloc(2 << 20), key[300];
    dbm_database *db = dbm_get(mgr, "");
    const dbm_value values[2] = { dbm_text("k"), dbm_text("v") };
    dbm_row *row;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(dbm_execv(db, wrong[i].sql, values, wrong[i].values), wrong[i].status);
        assert_non_null(strstr(dbm_last_error()->message, wrong[i].text));
        assert_non_null(strstr(dbm_last_error()->site, "test_adapter_memcached.c:"));
    }
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = 0;
    assert_int_equal(dbm_exec(db, "set ? ?", key, "v"), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "set ? ?", "a b", "v"), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "set ? ?", "", "v"), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "set ? ?", NULL, "v"), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "set ? ?", 5, "v"), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "set ? ?", "k", NULL), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "set ? ? ?", "k", "v", -1), DBM_E_RANGE);
    assert_int_equal(dbm_query_one(db, &row, "incr ? ?", "k", -1), DBM_E_RANGE);
    assert_int_equal(dbm_query_one(db, &row, "incr ? ?", "k", (long long)1 << 40), DBM_E_RANGE);
    assert_int_equal(dbm_exec(db, "set ? ?", "k", "no number"), DBM_OK);
    assert_int_equal(dbm_query_one(db, &row, "incr ? ?", "k", 1), DBM_E_SQL);
    assert_non_null(strstr(dbm_last_error()->message, "non-numeric"));
    assert_null(strstr(dbm_last_error()->message, "0x"));
    assert_non_null(big);
    memset(big, 'x', 2 << 20);
    assert_int_equal(dbm_exec(db, "set ? ?", "k", dbm_blob(big, 2 << 20)), DBM_E_LIMIT);
    free(big);
    assert_int_equal(dbm_exec(db, "set ? ?", "k", "v"), DBM_OK);
    assert_int_equal(dbm_script(db, "set"), DBM_E_SQL);
}

/* `set` is no SET of SQL: the connection is not reset, nor closed, for it. */
static void sessions_share_a_connection(void **state) {
    dbm_stats_info stats;
    dbm_status rc;
    int i;
    (void)state;
    for (i = 0; i < 5; i++) {
        DBM_SESSION_RC(mgr, "", s, &rc) dbm_exec(s, "set ? ?", "k", i);
        assert_int_equal(rc, DBM_OK);
    }
    DBM_SESSION_OPT(mgr, "", s, .read_only = true, .status = &rc) {
        dbm_row *row;
        assert_int_equal(dbm_query_one(s, &row, "get ?", "k"), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 4);
        assert_int_equal(dbm_exec(s, "set ? ?", "k", 9), DBM_E_READ_ONLY);
    }
    assert_int_equal(rc, DBM_E_READ_ONLY);
    dbm_stats(dbm_get(mgr, ""), &stats);
    assert_int_equal(stats.connects, 1);
    assert_int_equal(stats.disconnects, 0);
    assert_true(stats.cache_hits >= 4);
    DBM_SESSION_RC(mgr, "", s, &rc) { /* the first failure, and nothing is undone */
        memcached_st *mc = (memcached_st *)dbm_native(s, "memcached");
        assert_non_null(mc);
        assert_int_equal(memcached_server_count(mc), 1);
        dbm_exec(s, "set ? ?", "k", "kept");
        dbm_exec(s, "nonsense");
        assert_int_equal(dbm_exec(s, "set ? ?", "k", "lost"), DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    {
        char text[64];
        assert_string_equal(get("k", text, sizeof text), "kept");
    }
}

static void the_pool_has_its_limit(void **state) {
    dbm_session one, two, three;
    dbm_stats_info stats;
    dbm_database *db = dbm_get(mgr, "");
    dbm_session_options hurry;
    (void)state;
    memset(&hurry, 0, sizeof hurry);
    hurry.timeout_ms = 50;
    assert_int_equal(dbm_session_begin(db, NULL, &one), DBM_OK);
    assert_int_equal(dbm_session_begin(db, NULL, &two), DBM_OK);
    assert_int_equal(dbm_exec(&one, "set ? ?", "k", 1), DBM_OK);
    assert_int_equal(dbm_exec(&two, "set ? ?", "k", 2), DBM_OK);
    assert_int_equal(dbm_session_begin(db, &hurry, &three), DBM_E_TIMEOUT);
    dbm_session_end(&one);
    assert_int_equal(dbm_session_begin(db, &hurry, &three), DBM_OK);
    dbm_session_end(&three);
    dbm_session_end(&two);
    dbm_stats(db, &stats);
    assert_int_equal(stats.connects, 2);
    assert_int_equal(stats.out, 0);
}

static void two_databases_by_prefix(void **state) {
    static const dbm_option options[] = { { "key_prefix", "mine:" }, { "ttl", "100" } };
    char text[64];
    dbm_row *row;
    (void)state;
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = "mine", .url = url, .options = options, .option_count = 2)), DBM_OK);
    assert_int_equal(dbm_exec(dbm_get(mgr, "mine"), "set ? ?", "k", "theirs"), DBM_OK);
    assert_string_equal(get("k", text, sizeof text), "DBM_E_NOT_FOUND");
    assert_string_equal(get("mine:k", text, sizeof text), "theirs");
    assert_int_equal(dbm_query_one(dbm_get(mgr, "mine"), &row, "get ?", "k"), DBM_OK);
    assert_string_equal(dbm_row_text(row, 1), "k");
    dbm_row_end(row);
}

static void configurations_are_checked(void **state) {
    static const struct { const char *url, *key, *value, *text; } wrong[] = {
        { "memcached://a,b", "ttl", "1", "one server" },
        { "memcached://", "ttl", "1", "memcached://host:port" },
        { "memcached://a", "ttl", "soon", "ttl" },
        { "memcached://a", "ttl", "-1", "ttl" },
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char name[16];
        dbm_option option;
        option.name = wrong[i].key;
        option.value = wrong[i].value;
        (void)snprintf(name, sizeof name, "wrong%d", (int)i);
        assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.name = name, .url = wrong[i].url, .options = &option, .option_count = 1)), DBM_OK);
        assert_null(dbm_get(mgr, name));
        assert_int_equal(dbm_last_error()->status, DBM_E_CONFIG);
        assert_non_null(strstr(dbm_last_error()->message, wrong[i].text));
    }
    assert_int_equal(dbm_load_text(mgr, "[databases.x]\nurl = memcached://a\nkey_prefixes = a\n", SIZE_MAX), DBM_E_CONFIG);
    assert_non_null(strstr(dbm_last_error()->message, "key_prefix"));
}

static void remember(void *ud, const dbm_health_info *info) { *(dbm_status *)ud = info->status; }
static dbm_status health(void) {
    dbm_status st = DBM_ROLLED_BACK;
    dbm_health(mgr, remember, &st);
    return st;
}
static void rest(int ms) {
    struct timespec t;
    t.tv_sec = ms / 1000;
    t.tv_nsec = (long)(ms % 1000) * 1000000;
    (void)nanosleep(&t, NULL);
}
static long now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}

static void a_server_goes_and_comes(void **state) {
    servers_own own;
    char text[64], where[128];
    dbm_stats_info stats;
    dbm_status st;
    int i;
    (void)state;
    close_again();
    servers_start(&own, "memcached", NULL);
    (void)snprintf(where, sizeof where, "memcached://%s", servers_own_variable(&own, "DBM_TEST_MEMCACHED"));
    open_with(where, DBM_CONFIG(.pool.size = 2));
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
    assert_int_equal(health(), DBM_OK);
    servers_stop(&own);
    assert_int_not_equal(health(), DBM_OK);
    assert_int_equal(health(), DBM_E_CONNECT);
    assert_int_equal(dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", 1), DBM_E_CONNECT);
    assert_non_null(strstr(dbm_last_error()->message, "can't be opened"));
    dbm_stats(dbm_get(mgr, ""), &stats);
    assert_true(stats.down);
    servers_start_again(&own, NULL);
    for (i = 0; i < 100 && (st = health()) != DBM_OK; i++) rest(20); /* the back-off */
    assert_int_equal(st, DBM_OK);
    assert_int_equal(dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", 1), DBM_OK);
    /* It is killed and comes back while a connection lies idle: nobody notices. */
    servers_signal(&own, SIGKILL);
    servers_start_again(&own, NULL);
    assert_string_equal(get("k", text, sizeof text), "DBM_E_NOT_FOUND");
    assert_int_equal(dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", 1), DBM_OK);
    close_again();
    servers_remove(&own);
    (void)setup(NULL);
}

static void a_silent_server_is_not_waited_for(void **state) {
    servers_own own;
    char where[128], text[64];
    dbm_stats_info stats;
    dbm_status rc;
    long began;
    int i;
    (void)state;
    close_again();
    servers_start(&own, "memcached", NULL);
    (void)snprintf(where, sizeof where, "memcached://%s", servers_own_variable(&own, "DBM_TEST_MEMCACHED"));
    open_with(where, DBM_CONFIG(.pool.size = 2, .connect_timeout_ms = 300));
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
    began = now_ms();
    DBM_SESSION_OPT(mgr, "", s, .timeout_ms = 200, .status = &rc) {
        dbm_row *row;
        servers_signal(&own, SIGSTOP);
        assert_int_equal(dbm_query_one(s, &row, "get ?", "k"), DBM_E_TIMEOUT);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_in_range(now_ms() - began, 150, 1500);
    servers_signal(&own, SIGCONT);
    dbm_stats(dbm_get(mgr, ""), &stats);
    assert_int_equal(stats.broken, 1);
    DBM_SESSION_OPT(mgr, "", s, .timeout_ms = 200, .status = &rc) {
        assert_int_equal(dbm_exec(s, "set ? ?", "k", 1), DBM_OK);
        servers_signal(&own, SIGSTOP);
        assert_int_equal(dbm_exec(s, "set ? ?", "k", 2), DBM_E_IN_DOUBT); /* stored or not, who knows */
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    began = now_ms();
    assert_int_equal(dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", 3), DBM_E_TIMEOUT); /* while connecting: certainly not */
    assert_in_range(now_ms() - began, 150, 1500);
    servers_signal(&own, SIGCONT);
    for (i = 0; i < 100 && health() != DBM_OK; i++) rest(20);
    assert_int_equal(dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", 4), DBM_OK);
    assert_string_equal(get("k", text, sizeof text), "4");
    close_again();
    servers_remove(&own);
    (void)setup(NULL);
}

static void a_child_has_its_own(void **state) {
    char text[64];
    int status = 0;
    pid_t child;
    (void)state;
    assert_int_equal(dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", "parent"), DBM_OK);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(strcmp(get("k", text, sizeof text), "parent") == 0 && dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", "child") == DBM_OK ? 0 : 1);
    while (waitpid(child, &status, 0) < 0) {}
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(get("k", text, sizeof text), "child");
    {
        dbm_stats_info stats;
        dbm_stats(dbm_get(mgr, ""), &stats);
        assert_int_equal(stats.connects, 1); /* the parent's connection was left alone */
    }
}

static void no_memory_is_told_and_nothing_leaks(void **state) {
    long n;
    int failed = 0;
    (void)state;
    for (n = 1; n < 200; n++) {
        dbm_status st;
        dbm_row *row = NULL;
        close_again();
        open_with(url, DBM_CONFIG(.pool.size = 1, .pool.max_overflow = -1));
        if (dbm_get(mgr, "") == NULL) fail();
        test_heap_fail(&heap, n);
        st = dbm_exec(dbm_get(mgr, ""), "set ? ?", "k", "v");
        if (st == DBM_OK) st = dbm_query_one(dbm_get(mgr, ""), &row, "get ?", "k");
        if (st == DBM_OK) dbm_row_end(row);
        if (st != DBM_OK) assert_int_equal(st, DBM_E_NOMEM);
        if (heap.failed == 0) break;
        failed++;
    }
    assert_true(failed > 3 && n < 200);
}

static void the_program_runs(void **state) {
    (void)state;
    (void)setenv("MEMCACHED_URL", url, 1);
    assert_int_equal(example_main(), 0);
    (void)setenv("MEMCACHED_URL", "memcached://127.0.0.1:1", 1);
    assert_int_equal(example_main(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(commands_do_what_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(several_keys_are_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(mistakes_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_share_a_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(the_pool_has_its_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(two_databases_by_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(configurations_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_goes_and_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_server_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_has_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_told_and_nothing_leaks, setup, teardown),
        cmocka_unit_test_setup_teardown(the_program_runs, setup, teardown),
    };
    return cmocka_run_group_tests_name("adapter_memcached", tests, NULL, NULL);
}
