/* The MySQL adapter when things go wrong: cancels and deadlines, servers that stop or kill, forks, TLS. */
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "servers/test_mysql.h"
#include <signal.h>

/* With Oracle's client (tests/mysql_oracle.sh) calls block, because its prepared statements have no other form: the server is told the deadline and ends
 * the statement itself, and a server that is silent is noticed only by the client's own time-out, which is socket_timeout in whole seconds. */
#define CALLS_BLOCK (!MARIADBS_CLIENT)
/* It checks a certificate only against authorities that are named to it; MariaDB's asks the system's when none are. */
#define WANTS_A_CA (!MARIADBS_CLIENT)

static void piped(int signal_number) {
    (void)signal_number;
    _exit(write(2, "SIGPIPE reached the program\n", 28) == 28 ? 99 : 98);
}

static int setup(void **state) {
    (void)state;
    (void)signal(SIGPIPE, piped);
    servers_fresh(&fx.server, "mysql");
    open_both();
    OK(dbm_exec(fx.db, "CREATE TABLE t(a INT PRIMARY KEY, b VARCHAR(100)) ENGINE=InnoDB"));
    return 0;
}

static int clean(void **state) {
    (void)state;
    OK(dbm_exec(fx.db, "DELETE FROM t"));
    return 0;
}

/* ---- cancels and deadlines ----------------------------------------------------------------------------------------------------- */

static void test_deadline(void **state) {
    dbm_status rc;
    int64_t before, id = 0;
    (void)state;
    DBM_SESSION_OPT(fx.mgr, "default", s, .timeout_ms = 300, .status = &rc) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SELECT CONNECTION_ID()"));
        id = dbm_row_int(row, 0);
        OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
        before = test_now_ms();
        assert_int_equal(dbm_query_one(s, &row, "SELECT SLEEP(10)"), DBM_E_TIMEOUT);
        assert_in_range(test_now_ms() - before, 100, 900);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_true(number(fx.db, "SELECT CONNECTION_ID()") == id); /* the connection is kept */
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 0);
    assert_unlocked("t");
    assert_int_equal(number(fx.db, "SELECT CAST(@@max_statement_time * 1000 AS SIGNED)"), 0); /* what the server was told was for that session */
    /* A statement that the server ends by itself. */
    OK(dbm_add_database(fx.mgr, DBM_CONFIG(.name = "limited", .url = fx.server.url, .statement_timeout_ms = 200)));
    DBM_SESSION_OPT(fx.mgr, "limited", s, .autocommit = 1) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SELECT CAST(@@max_statement_time * 1000 AS SIGNED)"));
        assert_int_equal(dbm_row_int(row, 0), CALLS_BLOCK ? 200 : 2000); /* past our own deadline, or in its place */
        OK(dbm_exec(s, "SET max_statement_time = 0.1"));
        before = test_now_ms();
        assert_int_equal(dbm_query_one(s, &row, "SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b"), DBM_E_TIMEOUT);
        assert_int_equal(dbm_last_error()->native_code, 1969);
        assert_in_range(test_now_ms() - before, 50, 900);
    }
}

typedef struct canceller { dbm_session session; int after_ms; } canceller;
static void *cancel_later(void *ud) {
    canceller *c = (canceller *)ud;
    test_pause_ms(c->after_ms);
    (void)dbm_cancel(&c->session);
    return NULL;
}

static void test_cancel(void **state) {
    dbm_status rc;
    int64_t before, id;
    int i;
    (void)state;
    id = number(fx.db, "SELECT CONNECTION_ID()");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        canceller c;
        pthread_t thread;
        dbm_row *row;
        c.session = *s;
        c.after_ms = 100;
        OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
        before = test_now_ms();
        assert_int_equal(dbm_query_one(s, &row, "SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b"), DBM_E_CANCELLED);
        assert_int_equal(dbm_last_error()->native_code, 1317);
        assert_in_range(test_now_ms() - before, 50, 1500);
        (void)pthread_join(thread, NULL);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_true(number(fx.db, "SELECT CONNECTION_ID()") == id);
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 0);
    /* At any moment, and none hits the session that follows on the same connection. */
    for (i = 0; i < 40; i++) {
        canceller c;
        pthread_t thread;
        dbm_session s;
        dbm_row *row;
        int n;
        OK(dbm_session_begin(fx.db, NULL, &s));
        c.session = s;
        c.after_ms = 0;
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
        for (n = 0; n < 20 + i; n++) if (dbm_query_one(&s, &row, "SELECT COUNT(*) FROM seq_1_to_300") != DBM_OK) break;
        (void)dbm_session_end(&s);
        OK(dbm_session_begin(fx.db, NULL, &s));
        for (n = 0; n < 5; n++) OK(dbm_query_one(&s, &row, "SELECT COUNT(*) FROM seq_1_to_300"));
        OK(dbm_session_end(&s));
        (void)pthread_join(thread, NULL);
    }
}

/* ---- a server that stops ------------------------------------------------------------------------------------------------------- */

typedef struct timed_canceller { dbm_session session; int64_t took_ms; } timed_canceller;
static void *cancel_timed(void *ud) {
    timed_canceller *c = (timed_canceller *)ud;
    int64_t before;
    test_pause_ms(200);
    before = test_now_ms();
    (void)dbm_cancel(&c->session);
    c->took_ms = test_now_ms() - before;
    return NULL;
}

static void test_stopped_server(void **state) {
    servers_own mine;
    dbm_manager *mgr;
    dbm_status rc = DBM_OK;
    int64_t before, took;
    (void)state;
    servers_start(&mine, "mysql", NULL);
    OK(dbm_manager_create(&mgr, NULL));
    OK(dbm_add_database(mgr, DBM_CONFIG(.name = "mine", .url = servers_own_url(&mine, "mysql"), .connect_timeout_ms = 700,
                                        .socket_timeout_ms = CALLS_BLOCK ? 1000 : 0)));
    OK(dbm_init_all(mgr));
    OK(dbm_exec(dbm_get(mgr, "mine"), "CREATE TABLE t(a INT)"));
    DBM_SESSION_OPT(mgr, "mine", s, .timeout_ms = 500, .status = &rc) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        servers_signal(&mine, SIGSTOP);
        before = test_now_ms();
        assert_int_equal(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"), DBM_E_TIMEOUT);
        took = test_now_ms() - before;
        if (took > 500 + 1600) fail_msg("a stopped server held the statement for %lld ms", (long long)took);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    /* Nothing can be told of a COMMIT that is not answered. */
    servers_signal(&mine, SIGCONT);
    DBM_SESSION_OPT(mgr, "mine", s, .timeout_ms = 800, .status = &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (1)"));
        servers_signal(&mine, SIGSTOP);
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    /* A cancel that is not answered holds neither of the two. */
    servers_signal(&mine, SIGCONT);
    DBM_SESSION_RC(mgr, "mine", s, &rc) {
        timed_canceller c;
        pthread_t thread;
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        c.session = *s;
        servers_signal(&mine, SIGSTOP);
        before = test_now_ms();
        assert_int_equal(pthread_create(&thread, NULL, cancel_timed, &c), 0);
        assert_int_equal(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"), CALLS_BLOCK ? DBM_E_TIMEOUT : DBM_E_CANCELLED);
        (void)pthread_join(thread, NULL);
        assert_in_range(c.took_ms, 0, 700);
        assert_in_range(test_now_ms() - before, 0, 2600);
    }
    /* A connect is bounded too. */
    before = test_now_ms();
    assert_int_not_equal(dbm_ping(dbm_get(mgr, "mine")), DBM_OK);
    assert_in_range(test_now_ms() - before, 0, 2500);
    servers_signal(&mine, SIGCONT);
    servers_signal(&mine, SIGKILL);
    assert_int_not_equal(dbm_ping(dbm_get(mgr, "mine")), DBM_OK);
    servers_start_again(&mine, NULL);
    test_pause_ms(600); /* past the back-off */
    OK(dbm_ping(dbm_get(mgr, "mine")));
    dbm_manager_free(mgr);
    servers_remove(&mine);
}

/* ---- killed -------------------------------------------------------------------------------------------------------------------- */

static void kill_connection(int64_t id) {
    char sql[120];
    (void)snprintf(sql, sizeof sql, "KILL %lld", (long long)id);
    OK(dbm_exec(fx.other, sql));
    (void)snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM information_schema.processlist WHERE id = %lld", (long long)id);
    while (number(fx.other, sql) != 0) test_pause_ms(1);
}

static void test_killed(void **state) {
    dbm_status rc;
    int64_t id, n = 0;
    dbm_row *row;
    (void)state;
    /* Idle: the next session has another one, and hears nothing. */
    kill_connection(number(fx.db, "SELECT CONNECTION_ID()"));
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) OK(dbm_exec(s, "INSERT INTO t VALUES (1, 'x')"));
    assert_int_equal(rc, DBM_OK);
    /* Taken, and killed before its first statement: replaced. */
    id = number(fx.db, "SELECT CONNECTION_ID()");
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        kill_connection(id);
        OK(dbm_exec(s, "INSERT INTO t VALUES (2, 'x')"));
    }
    assert_int_equal(rc, DBM_OK);
    /* Between statements. */
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (3, 'x')"));
        kill_connection(number_of(s, "SELECT CONNECTION_ID()"));
        assert_int_equal(dbm_exec(s, "INSERT INTO t VALUES (4, 'x')"), DBM_E_LOST);
        assert_true(dbm_last_error()->retryable);
    }
    assert_int_equal(rc, DBM_E_LOST);
    assert_int_equal(number(fx.db, "SELECT COUNT(*) FROM t"), 2);
    /* In the middle of a result. */
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        id = number_of(s, "SELECT CONNECTION_ID()");
        DBM_EACH(s, r, "SELECT seq, REPEAT('x', 1000) FROM seq_1_to_100000") {
            if (++n == 5) kill_connection(id);
        }
        assert_int_equal(dbm_status_of(s), DBM_E_LOST);
        assert_in_range(n, 5, 99999);
    }
    assert_int_equal(rc, DBM_E_LOST);
    /* At COMMIT: nothing is known. */
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_exec(s, "INSERT INTO t VALUES (5, 'x')"));
        kill_connection(number_of(s, "SELECT CONNECTION_ID()"));
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    /* A read-only session has nothing in doubt. */
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        OK(dbm_query_one(s, &row, "SELECT COUNT(*) FROM t"));
        kill_connection(number_of(s, "SELECT CONNECTION_ID()"));
    }
    assert_int_equal(rc, DBM_E_LOST);
}

static void *kill_soon(void *ud) {
    test_pause_ms(150);
    kill_connection(*(int64_t *)ud);
    return NULL;
}

static void test_killed_writing(void **state) {
    dbm_status rc = DBM_OK;
    pthread_t thread;
    int64_t id;
    (void)state;
    OK(dbm_exec(fx.db, "CREATE TABLE IF NOT EXISTS m(a INT) ENGINE=MyISAM"));
    DBM_SESSION_OPT(fx.mgr, "default", s, .autocommit = 1, .status = &rc) {
        id = number_of(s, "SELECT CONNECTION_ID()");
        assert_int_equal(pthread_create(&thread, NULL, kill_soon, &id), 0);
        assert_int_equal(dbm_exec(s, "INSERT INTO m SELECT SLEEP(0.5) FROM seq_1_to_20"), DBM_E_IN_DOUBT);
        (void)pthread_join(thread, NULL);
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    OK(dbm_exec(fx.db, "DROP TABLE m"));
}

/* ---- forks --------------------------------------------------------------------------------------------------------------------- */

static void test_fork(void **state) {
    dbm_session s;
    dbm_row *row;
    int64_t id;
    pid_t child;
    int status;
    (void)state;
    OK(dbm_session_begin(fx.db, NULL, &s));
    id = number_of(&s, "SELECT CONNECTION_ID()");
    OK(dbm_exec(&s, "INSERT INTO t VALUES (1, 'of the parent')"));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int bad = 0;
        if (dbm_query_one(&s, &row, "SELECT 1") != DBM_E_FORKED) bad |= 1;
        if (dbm_exec(fx.db, "INSERT INTO t VALUES (2, 'of the child')") != DBM_OK) bad |= 2;
        if (dbm_exec(fx.other, "SELECT 1") != DBM_OK) bad |= 4;
        dbm_manager_free(fx.mgr);
        _exit(bad);
    }
    assert_true(waitpid(child, &status, 0) == child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(number_of(&s, "SELECT CONNECTION_ID()") == id);
    OK(dbm_exec(&s, "INSERT INTO t VALUES (3, 'of the parent')"));
    OK(dbm_commit(&s));
    OK(dbm_session_end(&s));
    assert_int_equal(number(fx.db, "SELECT SUM(a) FROM t"), 6);
}

/* ---- TLS ----------------------------------------------------------------------------------------------------------------------- */

static dbm_status tls_ping(servers_own *mine, dbm_tls mode, const char *ca, const char *host, char *cipher, size_t size) {
    static int n;
    char name[32], url[SERVERS_TEXT];
    const char *from = servers_own_url(mine, "mysql"), *at = strstr(from, "@127.0.0.1");
    dbm_config config;
    dbm_status st;
    (void)snprintf(name, sizeof name, "tls%d", n++);
    (void)snprintf(url, sizeof url, "%.*s@%s%s", (int)(at - from), from, host, at + strlen("@127.0.0.1"));
    memset(&config, 0, sizeof config);
    config.name = name;
    config.url = url;
    config.tls = mode;
    config.tls_ca = ca;
    config.pool.size = 1;
    OK(dbm_add_database(fx.mgr, &config));
    st = dbm_ping(dbm_get(fx.mgr, name));
    cipher[0] = '\0';
    if (st == DBM_OK) {
        DBM_SESSION(fx.mgr, name, s) {
            dbm_row *row;
            OK(dbm_query_one(s, &row, "SELECT variable_value FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"));
            (void)snprintf(cipher, size, "%s", dbm_row_text(row, 0));
        }
    }
    return st;
}

static void test_tls(void **state) {
    static const char *const certificates[] = { "good", "wrong", "expired", "foreign" };
    char cipher[100];
    size_t i;
    (void)state;
    for (i = 0; i < 4; i++) {
        servers_own mine;
        const char *ca = servers_ca("ca.pem");
        bool good = i == 0, chain = i <= 1;
        servers_start(&mine, "mysql", "--cert", certificates[i], NULL);
        OK(tls_ping(&mine, DBM_TLS_OFF, NULL, "127.0.0.1", cipher, sizeof cipher));
        assert_string_equal(cipher, "");
        OK(tls_ping(&mine, DBM_TLS_DEFAULT, NULL, "127.0.0.1", cipher, sizeof cipher));
        assert_string_equal(cipher, "");
        OK(tls_ping(&mine, DBM_TLS_PREFER, NULL, "127.0.0.1", cipher, sizeof cipher));
        assert_string_not_equal(cipher, "");
        OK(tls_ping(&mine, DBM_TLS_REQUIRE, NULL, "127.0.0.1", cipher, sizeof cipher));
        assert_string_not_equal(cipher, "");
        assert_int_equal(tls_ping(&mine, DBM_TLS_VERIFY_CA, ca, "127.0.0.1", cipher, sizeof cipher), chain ? DBM_OK : DBM_E_TLS);
        assert_int_equal(tls_ping(&mine, DBM_TLS_VERIFY_FULL, ca, "127.0.0.1", cipher, sizeof cipher), good ? DBM_OK : DBM_E_TLS);
        assert_int_equal(tls_ping(&mine, DBM_TLS_VERIFY_FULL, ca, "localhost", cipher, sizeof cipher), good ? DBM_OK : DBM_E_TLS);
        assert_int_equal(tls_ping(&mine, DBM_TLS_VERIFY_FULL, NULL, "127.0.0.1", cipher, sizeof cipher), WANTS_A_CA ? DBM_E_CONFIG : DBM_E_TLS);
        if (good) { /* cancels and lost connections over TLS */
            char name[32];
            dbm_status rc;
            OK(tls_ping(&mine, DBM_TLS_VERIFY_FULL, ca, "127.0.0.1", cipher, sizeof cipher));
            (void)snprintf(name, sizeof name, "over_tls");
            {
                dbm_config config;
                memset(&config, 0, sizeof config);
                config.name = name;
                config.url = servers_own_url(&mine, "mysql");
                config.tls = DBM_TLS_VERIFY_FULL;
                config.tls_ca = ca;
                OK(dbm_add_database(fx.mgr, &config));
            }
            DBM_SESSION_OPT(fx.mgr, name, s, .timeout_ms = 300, .status = &rc) {
                dbm_row *row;
                assert_int_equal(dbm_query_one(s, &row, "SELECT COUNT(*) FROM seq_1_to_100000 a, seq_1_to_100000 b"), DBM_E_TIMEOUT);
            }
            DBM_SESSION_OPT(fx.mgr, name, s, .status = &rc) {
                OK(dbm_exec(s, "SET @a = 1"));
                OK(dbm_exec(s, "CREATE TABLE IF NOT EXISTS k(a INT)"));
                OK(dbm_exec(s, "INSERT INTO k VALUES (1)"));
                servers_signal(&mine, SIGKILL);
                assert_int_equal(dbm_exec(s, "INSERT INTO k VALUES (2)"), DBM_E_LOST);
            }
            assert_int_equal(rc, DBM_E_LOST);
        }
        servers_remove(&mine);
    }
    /* A server without TLS. */
    {
        servers_own mine;
        servers_start(&mine, "mysql", "--set", "skip-ssl=1", NULL);
        OK(tls_ping(&mine, DBM_TLS_PREFER, NULL, "127.0.0.1", cipher, sizeof cipher));
        assert_string_equal(cipher, "");
        assert_int_equal(tls_ping(&mine, DBM_TLS_REQUIRE, NULL, "127.0.0.1", cipher, sizeof cipher), DBM_E_TLS);
        assert_int_equal(tls_ping(&mine, DBM_TLS_VERIFY_FULL, servers_ca("ca.pem"), "127.0.0.1", cipher, sizeof cipher), DBM_E_TLS);
        servers_remove(&mine);
    }
}

/* No allocation's failure crashes, hangs, leaks, or leaves the connection out of step. */
static void test_no_memory(void **state) {
    long at;
    bool ran = false;
    (void)state;
    OK(dbm_exec(fx.db, "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')"));
    for (at = 1; at < 400 && !ran; at++) {
        dbm_session s;
        dbm_rows *rows = NULL;
        dbm_row *row, *one;
        char sql[100];
        dbm_status st;
        (void)snprintf(sql, sizeof sql, "SELECT a, REPEAT(b, %ld) FROM t WHERE a > ?", 300 + at);
        OK(dbm_session_begin(fx.db, NULL, &s));
        test_heap_fail(&fx.heap, at);
        st = dbm_query(&s, &rows, sql, 0);
        if (st == DBM_OK) {
            while ((st = dbm_rows_next(rows, &row)) == DBM_OK) {
                if ((st = dbm_query_one(&s, &one, sql, 2)) != DBM_OK) break;
            }
            dbm_rows_end(rows);
            ran = st == DBM_DONE;
        }
        test_heap_fail(&fx.heap, 0);
        if (st != DBM_DONE && st != DBM_E_NOMEM) fail_msg("allocation %ld: %s: %s", at, dbm_status_name(st), message());
        (void)dbm_session_end(&s);
        assert_true(number(fx.db, "SELECT COUNT(*) FROM t") == 3);
    }
    assert_true(ran);
}

#define TEST(f) cmocka_unit_test_setup(f, clean)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_deadline), TEST(test_cancel), TEST(test_stopped_server), TEST(test_killed), TEST(test_killed_writing), TEST(test_fork), TEST(test_tls),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
