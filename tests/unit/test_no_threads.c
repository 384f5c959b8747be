/* The pool where there are no threads: nobody could give a connection back, so nothing ever waits.
 * The one file is built with DBM_NO_THREADS; the rooms as separate files are built with threads, and then there is nothing to test. */
#if !defined(DBM_TEST_SPLIT)
#  define DBM_NO_THREADS
#endif
#define DBM_TEST_WHOLE
#include "scripted.h"
#include <sys/wait.h>
#include <unistd.h>

#if defined(DBM_TEST_SPLIT)
static void test_nothing(void **state) { (void)state; }
int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else

static int tear_down(void **state) {
    (void)state;
    return server_end_all();
}

static dbm_config pool_of(int size, int overflow) {
    dbm_config c;
    memset(&c, 0, sizeof c);
    c.pool.size = size;
    c.pool.max_overflow = overflow == 0 ? -1 : overflow;
    return c;
}

static void test_exhausted(void **state) {
    const char *forms[] = { "scripted", "socketed", "stepped" };
    (void)state;
    assert_false(dbm_compiled_with("threads"));
    for (int form = 0; form < 3; form++) {
        server *v = server_make();
        dbm_config config = pool_of(1, 1);
        dbm_manager *mgr = server_manager_virtual();
        dbm_database *db = server_add(mgr, v, forms[form], &config);
        dbm_session a, b, c;
        const char *site = DBM__SITE; CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
        CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
        for (int i = 0; i < 3; i++) {
            CHECK_STATUS(dbm_session_begin(db, NULL, &c), DBM_E_WOULD_DEADLOCK);
            assert_non_null(strstr(dbm_last_error()->message, "all 2 connections are out"));
            assert_non_null(strstr(dbm_last_error()->message, site));
            assert_int_equal(stats_of(db).waiting, 0);
        }
        (void)dbm_session_end(&a);
        assert_int_equal(stats_of(db).open, 1); /* the one too many is closed */
        CHECK_STATUS(dbm_session_begin(db, NULL, &c), DBM_OK);
        CHECK_STATUS(dbm_exec(&c, "write"), DBM_OK);
        CHECK_STATUS(dbm_commit(&c), DBM_OK);
        (void)dbm_session_end(&c);
        (void)dbm_session_end(&b);
        assert_int_equal(stats_of(db).idle, 1);
        dbm_manager_free(mgr);
    }
}

static void test_blocks(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(1, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    dbm_status rc = DBM_OK, inner = DBM_OK, apart = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
        DBM_SESSION_RC(mgr, NULL, t, &inner) CHECK_STATUS(dbm_exec(t, "write"), DBM_OK);
        DBM_SESSION_OPT(mgr, NULL, u, .separate = 1, .status = &apart) assert_true(false);
        DBM_EACH(s, row, "rows 3 x 1") CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
    }
    CHECK_STATUS(rc, DBM_OK);
    CHECK_STATUS(inner, DBM_OK);
    CHECK_STATUS(apart, DBM_E_WOULD_DEADLOCK);
    assert_int_equal(v->commits, 1);
    assert_int_equal(stats_of(db).idle, 1);
    dbm_manager_free(mgr);
}

static void test_gate(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_manager *mgr = server_manager(NULL);
    dbm_session a, b;
    (void)state;
    v->gate = "file";
    dbm_database *db = server_add(mgr, v, "scripted", &config);
    CHECK_STATUS(dbm_session_begin(db, NULL, &a), DBM_OK);
    CHECK_STATUS(dbm_session_begin(db, NULL, &b), DBM_OK);
    CHECK_STATUS(dbm_exec(&a, "write"), DBM_OK);
    CHECK_STATUS(dbm_exec(&b, "write"), DBM_E_WOULD_DEADLOCK);
    assert_non_null(strstr(dbm_last_error()->message, "no other threads"));
    (void)dbm_rollback(&b);
    CHECK_STATUS(dbm_commit(&a), DBM_OK);
    CHECK_STATUS(dbm_exec(&b, "write"), DBM_OK);
    CHECK_STATUS(dbm_commit(&b), DBM_OK);
    (void)dbm_session_end(&a);
    (void)dbm_session_end(&b);
    dbm_manager_free(mgr);
}

/* Down and up again, upkeep, the end: the same as with threads, at once. */
static void test_the_rest(void **state) {
    server *v = server_make();
    dbm_config config = pool_of(2, 0);
    dbm_options options;
    dbm_session s;
    (void)state;
    memset(&options, 0, sizeof options);
    options.upkeep_thread = true;
    dbm_manager *none = NULL;
    CHECK_STATUS(dbm_manager_create(&none, &options), DBM_E_UNSUPPORTED);
    assert_null(none);
    assert_non_null(strstr(dbm_last_error()->message, "dbm_maintain"));
    dbm_manager *mgr = server_manager_virtual();
    config.pool.min_idle = 1;
    dbm_database *db = server_add(mgr, v, "stepped", &config);
    plan_fail(v, DBM_OP_CONNECT, 0, DBM_E_CONNECT, "08001");
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_E_CONNECT);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_E_CONNECT);
    assert_int_equal(server_count(v, DBM_OP_CONNECT), 1);
    plan_clear(v);
    clock_move_ms(60);
    CHECK_STATUS(dbm_maintain(mgr), DBM_OK);
    assert_int_equal(stats_of(db).idle, 1);
    CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
    server_kill(v, 0);
    CHECK_STATUS(dbm_exec(&s, "write"), DBM_OK); /* replaced */
    int64_t began = real_us();
    CHECK_STATUS(dbm_close_all(mgr), DBM_E_LEAKED); /* nobody could bring it back meanwhile: it is not waited for */
    assert_true(real_us() - began < 1000000);
    (void)dbm_session_end(&s);
    assert_int_equal(server_live(v), 0);
    dbm_manager_free(mgr);
}

/* A child of a fork, whatever it touches first: the parent's session and rows are not used, nor is a byte sent on their connection. */
enum { TOUCHES = 10 };
static bool touch(int which, dbm_manager *mgr, server *v, dbm_session *s, dbm_rows *rows, dbm_statement *prepared) {
    dbm_database *db = dbm_get(mgr, NULL);
    dbm_session mine;
    dbm_row *row;
    dbm_status rc;
    int logged = v->logged, loops = 0;
    bool good = false;
    switch (which) {
    case 0: good = dbm_exec(s, "write") == DBM_E_FORKED; break;
    case 1: good = dbm_commit(s) == DBM_E_FORKED; break;
    case 2: good = dbm_session_end(s) == DBM_E_FORKED; break;
    case 3: good = dbm_rows_next(rows, &row) == DBM_E_FORKED; break;
    case 4: dbm_rows_end(rows); good = true; break;
    case 5: good = dbm_stmt_exec(prepared) != DBM_OK; break;
    case 6: dbm_stmt_end(prepared); good = true; break;
    case 7: dbm__block_end(s); good = true; break; /* as leaving the block does */
    case 8: /* a block of the parent's is not joined */
        DBM_SESSION_RC(mgr, NULL, b, &rc) {
            dbm_exec(b, "write");
            DBM_EACH(b, r, "rows 2 x 1") loops++;
        }
        good = rc == DBM_OK && loops == 2;
        break;
    case 9: good = dbm_exec(db, "write") == DBM_OK; break;
    default: break;
    }
    if (dbm_session_begin(db, NULL, &mine) != DBM_OK || dbm_exec(&mine, "write") != DBM_OK || dbm_commit(&mine) != DBM_OK) good = false;
    (void)dbm_session_end(&mine);
    if (dbm_close_all(mgr) != DBM_OK) good = false;
    for (int i = logged; i < v->logged; i++) {
        if (v->log[i].connection == 1 && (v->log[i].kind != ON_DISCONNECT || v->log[i].how != DBM_DISCONNECT_FORKED)) good = false;
    }
    return good;
}

static void test_fork(void **state) {
    (void)state;
    for (int which = 0; which < TOUCHES; which++) {
        server *v = server_make();
        dbm_config config = pool_of(2, 0);
        dbm_manager *mgr = server_manager(NULL);
        dbm_rows *rows = NULL;
        dbm_row *row;
        dbm_statement *prepared = NULL;
        int status = -1;
        dbm_database *db = server_add(mgr, v, which % 2 ? "stepped" : "scripted", &config);
        DBM_SESSION_ON(db, s) {
            CHECK_STATUS(dbm_exec(s, "write"), DBM_OK);
            CHECK_STATUS(dbm_prepare(s, "write 7", &prepared), DBM_OK);
            CHECK_STATUS(dbm_query(s, &rows, "rows 3 x 1"), DBM_OK);
            (void)fflush(NULL);
            pid_t child = fork();
            if (child == 0) {
                dbm_session copy = *s;
                alarm(30);
                _exit(touch(which, mgr, v, &copy, rows, prepared) ? 0 : 1);
            }
            assert_true(child > 0 && waitpid(child, &status, 0) == child);
            if (status != 0) fail_msg("touch %d: the child ended by %d", which, status);
            CHECK_STATUS(dbm_rows_next(rows, &row), DBM_OK); /* the parent goes on */
            dbm_rows_end(rows);
            CHECK_STATUS(dbm_stmt_exec(prepared), DBM_OK);
        }
        assert_false(dbm_session_failed(NULL));
        assert_int_equal(v->commits, 1);
        dbm_manager_free(mgr);
        assert_int_equal(tear_down(NULL), 0);
    }
}

int main(void) {
#define T(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = { T(test_exhausted), T(test_blocks), T(test_gate), T(test_the_rest), T(test_fork) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
