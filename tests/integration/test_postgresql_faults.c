/* The PostgreSQL adapter when things go wrong: cancels, deadlines, silent and dying servers, refused connects, TLS, forks. */
#include "dbm_test.h"
#include "servers/test_servers.h"
#define TEST_POSTGRESQL_FRESH "CREATE TABLE t (a int)"
#include "servers/test_postgresql.h"
#include "proxy.h"

static long backend(dbm_session *s) {
    dbm_row *row;
    OK(dbm_query_one(s, &row, "SELECT pg_backend_pid()"));
    return (long)dbm_row_int(row, 0);
}
static long current_backend(void) {
    long pid = 0;
    DBM_SESSION(mgr, NULL, s) pid = backend(s);
    return pid;
}

/* Ends a backend, and waits until it is gone. */
static void kill_backend(long pid) {
    char sql[96];
    int i;
    (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(%ld)", pid);
    (void)raw_text(sql);
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM pg_stat_activity WHERE pid = %ld", pid);
    for (i = 0; i < 500 && raw_number(sql) != 0; i++) test_pause_ms(10);
    test_pause_ms(20);
}

/* ---- cancels and deadlines ----------------------------------------------------------------------------------------------------------- */

typedef struct canceller { pthread_t thread; dbm_session s; long ms; dbm_status status; long took; } canceller;
static void *cancel_later(void *ud) {
    canceller *c = (canceller *)ud;
    test_pause_ms(c->ms);
    c->took = test_now_ms();
    c->status = dbm_cancel(&c->s);
    c->took = test_now_ms() - c->took;
    return NULL;
}

static void a_cancel_from_another_thread(void **state) {
    int way;
    (void)state;
    for (way = 0; way < 3; way++) { /* a statement; the rows of one; alone */
        dbm_status rc;
        long pid = current_backend(), began = test_now_ms();
        canceller c;
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 2, .status = &rc) {
            memset(&c, 0, sizeof c);
            c.s = *s;
            c.ms = 200;
            assert_int_equal(pthread_create(&c.thread, NULL, cancel_later, &c), 0);
            if (way == 1) DBM_EACH(s, row, "SELECT pg_sleep(0.05) FROM generate_series(1, 2000)") (void)row;
            else dbm_exec(s, "SELECT pg_sleep(30)");
        }
        assert_int_equal(pthread_join(c.thread, NULL), 0);
        assert_int_equal(c.status, DBM_OK);
        assert_int_equal(rc, DBM_E_CANCELLED);
        if (test_now_ms() - began > 2000 || c.took > 600) fail_msg("way %d: took %ld ms, the cancel %ld", way, test_now_ms() - began, c.took);
        assert_int_equal(current_backend(), pid); /* the connection is as good as before */
    }
}

static void deadlines_keep_the_connection(void **state) {
    int way;
    (void)state;
    for (way = 0; way < 4; way++) {
        dbm_status rc = DBM_OK;
        long pid, began;
        if (way == 3) { /* of each statement, by the configuration; the server would end it too */
            dbm_config config;
            memset(&config, 0, sizeof config);
            config.statement_timeout_ms = 300;
            reopen(&config);
        }
        pid = current_backend();
        began = test_now_ms();
        DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = way == 3 ? 0 : 300, .autocommit = way == 2, .status = &rc) {
            if (way == 1) DBM_EACH(s, row, "SELECT pg_sleep(0.05) FROM generate_series(1, 2000)") (void)row;
            else dbm_exec(s, "SELECT pg_sleep(30)");
        }
        assert_int_equal(rc, DBM_E_TIMEOUT);
        if (test_now_ms() - began > 1500) fail_msg("way %d: %ld ms", way, test_now_ms() - began);
        assert_int_equal(current_backend(), pid);
    }
}

static void the_servers_own_limit(void **state) {
    dbm_config config;
    dbm_status rc;
    (void)state;
    memset(&config, 0, sizeof config);
    config.statement_timeout_ms = 60000; /* ours is far away */
    reopen(&config);
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
        OK(dbm_exec(s, "SET statement_timeout = 100"));
        dbm_exec(s, "SELECT pg_sleep(10)");
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_string_equal(dbm_last_error()->sqlstate, "57014");
}

static void a_server_that_is_silent(void **state) {
    servers_own mine;
    dbm_config config;
    int way;
    (void)state;
    servers_start(&mine, "postgresql", NULL);
    memset(&config, 0, sizeof config);
    config.url = servers_own_url(&mine, "postgresql");
    config.pool.size = 2;
    config.connect_timeout_ms = 700;
    reopen(&config);
    for (way = 0; way < 4; way++) {
        dbm_status rc;
        long began = test_now_ms(), took;
        pid_t children[64];
        int n = 0, i;
        char command[96], line[32];
        FILE *f;
        long pid = 0;
        DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 500, .status = &rc, .read_only = way == 3) {
            pid = backend(s);
            /* Every process of the server stands still, so that even a cancel finds nobody. */
            (void)snprintf(command, sizeof command, "pgrep -P %ld", (long)servers_pid(&mine));
            f = popen(command, "r");
            while (f != NULL && n < 64 && fgets(line, sizeof line, f) != NULL) children[n++] = (pid_t)strtol(line, NULL, 10);
            if (f != NULL) (void)pclose(f);
            servers_signal(&mine, SIGSTOP);
            for (i = 0; i < n; i++) (void)kill(children[i], SIGSTOP);
            began = test_now_ms();
            if (way == 0) dbm_exec(s, "SELECT 1");
            else if (way == 1) DBM_EACH(s, row, "SELECT generate_series(1, 100000)") (void)row;
            else if (way == 2) dbm_exec(s, "INSERT INTO pg_description VALUES (1, 1, 1, 'x')");
        }
        took = test_now_ms() - began;
        for (i = 0; i < n; i++) (void)kill(children[i], SIGCONT);
        servers_signal(&mine, SIGCONT);
        if (way == 3) assert_int_equal(rc, DBM_OK); /* the COMMIT of a reader is not waited for */
        else assert_int_equal(rc, DBM_E_TIMEOUT);
        if (took > 2200) fail_msg("way %d: %ld ms", way, took); /* 500 + 500 that a cancel may take + 1000 for its answer */
        DBM_SESSION_RC(mgr, NULL, s, &rc) assert_true(way == 3 || backend(s) != pid);
        assert_int_equal(rc, DBM_OK);
    }
    { /* and a connect to it */
        long began = test_now_ms();
        dbm_session a, b;
        dbm_status rc;
        OK(dbm_session_begin(db, NULL, &a));
        (void)backend(&a);
        servers_signal(&mine, SIGSTOP);
        rc = dbm_session_begin(db, NULL, &b);
        if (rc == DBM_OK) rc = dbm_exec(&b, "SELECT 1");
        servers_signal(&mine, SIGCONT);
        if (rc == DBM_OK) test_pause_ms(1);
        if (test_now_ms() - began > 32000) fail_msg("connecting took %ld ms", test_now_ms() - began);
        dbm_session_end(&b);
        dbm_session_end(&a);
    }
    assert_int_equal(close_db(NULL), 0);
    servers_remove(&mine);
}

/* ---- connections that die ------------------------------------------------------------------------------------------------------------- */

static void killed_while_idle(void **state) {
    dbm_status rc;
    dbm_row *row;
    int way;
    (void)state;
    for (way = 0; way < 3; way++) {
        long pid = 0;
        int i;
        DBM_SESSION_OPT(mgr, NULL, s, .read_only = way == 2) {
            pid = backend(s);
            for (i = 0; i < 4; i++) OK(dbm_query_one(s, &row, "SELECT ?::int", 1));
        }
        kill_backend(pid);
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = way == 1, .status = &rc) {
            OK(dbm_query_one(s, &row, "SELECT ?::int", 5));
            assert_int_equal(dbm_row_int(row, 0), 5);
            OK(dbm_exec(s, "INSERT INTO t VALUES (1)"));
        }
        assert_int_equal(rc, DBM_OK);
        assert_int_not_equal(current_backend(), pid);
    }
}

static void killed_between_checkout_and_statement(void **state) {
    dbm_status rc;
    dbm_row *row;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* replaced, since nothing was done yet */
        long pid = backend(s);
        dbm_rollback(s);
        kill_backend(pid);
        DBM_SAVEPOINT(s) OK(dbm_query_one(s, &row, "SELECT 7"));
        OK(dbm_exec(s, "INSERT INTO t VALUES (2)"));
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) { /* a read alone too */
        kill_backend(backend(s));
        OK(dbm_query_one(s, &row, "SELECT 7"));
    }
    assert_int_equal(rc, DBM_OK);
}

static void killed_in_a_transaction(void **state) {
    dbm_status rc;
    int way;
    (void)state;
    (void)raw_text("TRUNCATE t");
    for (way = 0; way < 3; way++) { /* between statements; in the midst of rows; before COMMIT */
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            long pid = backend(s);
            dbm_exec(s, "INSERT INTO t VALUES (3)");
            if (way == 1) {
                int n = 0;
                DBM_EACH(s, row, "SELECT g, repeat('x', 1000) FROM generate_series(1, 100000) g") if (n++ == 10) kill_backend(pid);
                assert_in_range(n, 11, 2000);
            } else {
                kill_backend(pid);
                if (way == 0) dbm_exec(s, "INSERT INTO t VALUES (4)");
            }
        }
        assert_int_equal(rc, way == 2 ? DBM_E_IN_DOUBT : DBM_E_LOST);
        assert_int_equal(dbm_last_error()->retryable, way != 2);
        assert_int_equal(raw_number("SELECT count(*) FROM t"), 0);
    }
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* direct rows, in their midst */
        int n = 0, i;
        long pid = backend(s);
        for (i = 0; i < 4; i++) DBM_EACH(s, row, "SELECT g, repeat('y', 1000) FROM generate_series(1, ?) g", 2) (void)row;
        DBM_EACH(s, row, "SELECT g, repeat('y', 1000) FROM generate_series(1, ?) g", 100000) if (n++ == 10) kill_backend(pid);
    }
    assert_int_equal(rc, DBM_E_LOST);
}

static proxy between;
static const char *url_between(const char *url, char *block, size_t size) {
    const char *host = strstr(url, "127.0.0.1:"), *rest = host != NULL ? strchr(host, '/') : NULL;
    assert_non_null(rest);
    proxy_start(&between, atoi(host + 10));
    (void)snprintf(block, size, "%.*s127.0.0.1:%d%s", (int)(host - url), url, between.port, rest);
    return block;
}

static void cut_at_commit(void **state) {
    char url[600];
    dbm_config config;
    dbm_status rc;
    dbm_stats_info st;
    (void)state;
    (void)raw_text("TRUNCATE t");
    memset(&config, 0, sizeof config);
    config.url = url_between(fresh.url, url, sizeof url);
    reopen(&config);
    proxy_cut(&between, "COMMIT", PROXY_BEFORE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) dbm_exec(s, "INSERT INTO t VALUES (1)");
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    assert_false(dbm_last_error()->retryable);
    assert_int_equal(raw_number("SELECT count(*) FROM t"), 0);
    proxy_cut(&between, "COMMIT", PROXY_AFTER);
    DBM_SESSION_RC(mgr, NULL, s, &rc) dbm_exec(s, "INSERT INTO t VALUES (2)");
    assert_int_equal(rc, DBM_E_IN_DOUBT); /* it was done, and nobody here can know */
    assert_int_equal(raw_number("SELECT count(*) FROM t"), 1);
    proxy_cut(&between, "VALUES (3)", PROXY_AFTER);
    assert_int_equal(dbm_exec(db, "INSERT INTO t VALUES (3)"), DBM_E_IN_DOUBT);
    assert_int_equal(raw_number("SELECT count(*) FROM t"), 2);
    proxy_cut(&between, "VALUES (4)", PROXY_BEFORE);
    assert_int_equal(dbm_exec(db, "INSERT INTO t VALUES (4)"), DBM_E_IN_DOUBT);
    proxy_cut(&between, "VALUES (5)", PROXY_BEFORE); /* the first one of a transaction: sent once more, on another connection */
    DBM_SESSION_RC(mgr, NULL, s, &rc) dbm_exec(s, "INSERT INTO t VALUES (5)");
    assert_int_equal(rc, DBM_OK);
    proxy_cut(&between, "SELECT 6", PROXY_BEFORE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { dbm_exec(s, "INSERT INTO t VALUES (6)"); dbm_exec(s, "SELECT 6"); }
    assert_int_equal(rc, DBM_E_LOST);
    proxy_cut(&between, "COMMIT", PROXY_BEFORE); /* who only read has lost nothing */
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) dbm_exec(s, "SELECT 7");
    assert_int_equal(rc, DBM_OK);
    test_pause_ms(50);
    DBM_SESSION_RC(mgr, NULL, s, &rc) dbm_exec(s, "SELECT 8");
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(raw_number("SELECT count(*) FROM t"), 3);
    OK(dbm_stats(db, &st));
    assert_int_equal(st.in_doubt, 4);
    assert_int_equal(close_db(NULL), 0);
    proxy_stop(&between);
}

/* ---- connects that are refused ----------------------------------------------------------------------------------------------------------- */

/* A connect with this URL fails, and says why. */
static void refused(const dbm_config *config, dbm_status status, const char *sqlstate, const char *text) {
    dbm_status rc;
    assert_int_equal(close_db(NULL), 0);
    configure(config);
    rc = dbm_init_all(mgr);
    if (rc != status || strcmp(dbm_last_error()->sqlstate, sqlstate) != 0 || strstr(dbm_last_error()->message, text) == NULL) {
        fail_msg("%s: %s [%s] %s; expected %s [%s] ...%s", config->url, dbm_status_name(rc), dbm_last_error()->sqlstate, dbm_last_error()->message, dbm_status_name(status), sqlstate, text);
    }
    assert_null(strstr(dbm_last_error()->message, "s3cret"));
    assert_null(strstr(dbm_last_error()->message, ".c:"));
}

static void put_url(char *block, size_t size, const char *user, const char *host, const char *rest) {
    const char *at = strstr(fresh.url, "127.0.0.1:"), *slash = strchr(at, '/');
    (void)snprintf(block, size, "postgresql://%s@%.*s%s", user, (int)(host != NULL ? (int)strlen(host) : (int)(slash - at)), host != NULL ? host : at, rest != NULL ? rest : slash);
}

static void connects_that_fail(void **state) {
    char url[600];
    dbm_config config;
    (void)state;
    memset(&config, 0, sizeof config);
    config.url = url;
    config.pool.timeout_ms = 2000;
    put_url(url, sizeof url, "dbm:s3cret-but-wrong", NULL, NULL);
    refused(&config, DBM_E_AUTH, "28P01", "password authentication failed");
    put_url(url, sizeof url, "dbm", NULL, NULL);
    refused(&config, DBM_E_AUTH, "08001", "no password supplied");
    put_url(url, sizeof url, "dbm:s3cret%3Bpw%40%25", NULL, "/no_such_database");
    refused(&config, DBM_E_UNKNOWN_NAME, "3D000", "no_such_database");
    put_url(url, sizeof url, "dbm:s3cret%3Bpw%40%25", "127.0.0.1:1", NULL);
    refused(&config, DBM_E_CONNECT, "08001", "refused");
    assert_true(dbm_last_error()->retryable);
    put_url(url, sizeof url, "dbm:s3cret%3Bpw%40%25", "", "/x?host=/nowhere/at/all");
    refused(&config, DBM_E_CONNECT, "08001", "/nowhere/at/all");
}

static void bad_configurations(void **state) {
    char url[600];
    dbm_config config;
    dbm_option option;
    (void)state;
    memset(&config, 0, sizeof config);
    config.url = url;
    put_url(url, sizeof url, "dbm:s3cret%3Bpw%40%25", NULL, "/x?aplication_name=y");
    refused(&config, DBM_E_CONFIG, "", "did you mean application_name?");
    put_url(url, sizeof url, "dbm:s3cret%3Bpw%40%25", NULL, "/x");
    option.name = "connect_args.gssencmod";
    option.value = "x";
    config.options = &option;
    config.option_count = 1;
    refused(&config, DBM_E_CONFIG, "", "did you mean gssencmode?");
    assert_int_equal(close_db(NULL), 0);
    option.name = "connect_args.application_name";
    option.value = "through connect_args";
    config.url = fresh.url;
    open_with(&config);
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SHOW application_name"));
        assert_string_equal(dbm_row_text(row, 0), "through connect_args");
    }
    reopen(NULL);
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        OK(dbm_query_one(s, &row, "SHOW application_name"));
        assert_string_equal(dbm_row_text(row, 0), "dbm.h");
    }
}

/* The first host refuses, or swallows everything in silence; the second one serves. */
static void several_hosts(void **state) {
    char url[600], hosts[128];
    dbm_config config;
    const char *at = strstr(fresh.url, "127.0.0.1:"), *slash = strchr(at, '/');
    struct sockaddr_in to;
    socklen_t size = sizeof to;
    int silent = socket(AF_INET, SOCK_STREAM, 0), way;
    (void)state;
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(silent, (const struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(listen(silent, 8), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&to, &size), 0);
    memset(&config, 0, sizeof config);
    config.url = url;
    config.connect_timeout_ms = 1000;
    for (way = 0; way < 2; way++) {
        long began = test_now_ms();
        (void)snprintf(hosts, sizeof hosts, "127.0.0.1:%d,%.*s", way == 0 ? 1 : ntohs(to.sin_port), (int)(slash - at), at);
        put_url(url, sizeof url, "dbm:s3cret%3Bpw%40%25", hosts, NULL);
        (void)strncat(url, "?target_session_attrs=read-write", sizeof url - strlen(url) - 1);
        reopen(&config);
        if (test_now_ms() - began > 1500) fail_msg("way %d: %ld ms", way, test_now_ms() - began);
        assert_true(current_backend() > 0);
    }
    (void)close(silent);
}

/* ---- TLS --------------------------------------------------------------------------------------------------------------------------- */

static void tls_modes(void **state) {
    static const struct { const char *cert; dbm_tls tls; bool foreign_ca; dbm_status status; const char *text; } cases[] = {
        { "good", DBM_TLS_OFF, false, DBM_OK, "off" }, { "good", DBM_TLS_PREFER, false, DBM_OK, "on" }, { "good", DBM_TLS_REQUIRE, false, DBM_OK, "on" },
        { "good", DBM_TLS_VERIFY_CA, false, DBM_OK, "on" }, { "good", DBM_TLS_VERIFY_FULL, false, DBM_OK, "on" },
        { "good", DBM_TLS_VERIFY_CA, true, DBM_E_TLS, "certificate verify failed" },
        { "wrong", DBM_TLS_VERIFY_CA, false, DBM_OK, "on" }, { "wrong", DBM_TLS_VERIFY_FULL, false, DBM_E_TLS, "does not match host name" },
        { "expired", DBM_TLS_VERIFY_FULL, false, DBM_E_TLS, "certificate" }, { "foreign", DBM_TLS_VERIFY_CA, false, DBM_E_TLS, "certificate verify failed" } };
    servers_own mine;
    size_t i;
    const char *running = NULL;
    dbm_config config;
    (void)state;
    memset(&config, 0, sizeof config);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (running == NULL || strcmp(running, cases[i].cert) != 0) {
            assert_int_equal(close_db(NULL), 0);
            if (running != NULL) servers_remove(&mine);
            running = cases[i].cert;
            servers_start(&mine, "postgresql", "--cert", running, NULL);
        }
        config.url = servers_own_url(&mine, "postgresql");
        config.tls = cases[i].tls;
        config.tls_ca = cases[i].tls >= DBM_TLS_VERIFY_CA ? servers_ca(cases[i].foreign_ca ? "foreign-ca.pem" : "ca.pem") : NULL;
        if (cases[i].status != DBM_OK) {
            refused(&config, cases[i].status, "08001", cases[i].text);
            continue;
        }
        reopen(&config);
        DBM_SESSION(mgr, NULL, s) {
            dbm_row *row;
            int n = 0;
            OK(dbm_query_one(s, &row, "SELECT CASE WHEN ssl THEN 'on' ELSE 'off' END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"));
            assert_string_equal(dbm_row_text(row, 0), cases[i].text);
            DBM_EACH(s, r, "SELECT g, repeat('x', 3000) FROM generate_series(1, 3000) g") n += dbm_row_int(r, 0) > 0;
            assert_int_equal(n, 3000);
            n = 0;
            DBM_SESSION_OPT(mgr, NULL, t, .separate = true, .autocommit = true) (void)t;
            DBM_EACH(s, r, "SELECT repeat('x', 100000) FROM generate_series(1, 30) g") n += dbm_row_text(r, 0)[99999] == 'x';
            assert_int_equal(n, 30);
        }
        /* what lies idle is looked at under TLS too */
        test_pause_ms(20);
        assert_true(current_backend() > 0);
    }
    assert_int_equal(close_db(NULL), 0);
    servers_remove(&mine);
    servers_start(&mine, "postgresql", "--set", "ssl=off", NULL);
    config.url = servers_own_url(&mine, "postgresql");
    config.tls = DBM_TLS_REQUIRE;
    config.tls_ca = NULL;
    refused(&config, DBM_E_TLS, "08001", "does not support SSL");
    assert_int_equal(close_db(NULL), 0);
    servers_remove(&mine);
}

static void silence_is_noticed_under_tls_too(void **state) {
    dbm_config config;
    int way;
    (void)state;
    memset(&config, 0, sizeof config);
    config.socket_timeout_ms = 300;
    for (way = 0; way < 2; way++) {
        long began;
        config.tls = way == 0 ? DBM_TLS_OFF : DBM_TLS_REQUIRE;
        reopen(&config);
        began = test_now_ms();
        assert_int_equal(dbm_exec(db, "SELECT pg_sleep(5)"), DBM_E_TIMEOUT);
        if (test_now_ms() - began > 2500) fail_msg("way %d: %ld ms", way, test_now_ms() - began);
    }
}

/* ---- forks ------------------------------------------------------------------------------------------------------------------------- */

static void a_fork_leaves_the_parent_alone(void **state) {
    int way;
    (void)state;
    for (way = 0; way < 2; way++) { /* plain, and under TLS */
        dbm_status rc;
        dbm_config config;
        char url[600];
        memset(&config, 0, sizeof config);
        (void)snprintf(url, sizeof url, "%s", fresh.url);
        config.url = url;
        config.tls = way == 1 ? DBM_TLS_REQUIRE : DBM_TLS_OFF;
        reopen(&config);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            long pid = backend(s);
            pid_t child;
            int status = 0;
            dbm_exec(s, "INSERT INTO t VALUES (77)");
            child = fork();
            if (child == 0) {
                dbm_row *row;
                int bad = 0;
                if (dbm_exec(s, "SELECT 1") != DBM_E_FORKED) bad = 1;
                if (dbm_query_one(db, &row, "SELECT pg_backend_pid()") != DBM_OK) bad = 2;
                else if (dbm_row_int(row, 0) == pid) bad = 3;
                else dbm_row_end(row);
                dbm_manager_free(mgr);
                _exit(bad);
            }
            assert_true(child > 0);
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), 0);
            assert_int_equal(backend(s), pid);
        }
        if (rc != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    }
    assert_int_equal(raw_number("SELECT count(*) FROM t WHERE a = 77"), 2);
}

/* ---- the credential callback ----------------------------------------------------------------------------------------------------------- */

static dbm_status give_credentials(void *ud, dbm_credentials *out) {
    ++*(int *)ud;
    out->user = "dbm";
    out->password = "s3cret;pw@%";
    return DBM_OK;
}

static void credentials_are_asked_for(void **state) {
    char url[600];
    dbm_config config;
    int asked = 0;
    (void)state;
    memset(&config, 0, sizeof config);
    put_url(url, sizeof url, "nobody:nothing", NULL, NULL);
    config.url = url;
    config.credentials = give_credentials;
    config.credentials_ud = &asked;
    reopen(&config);
    assert_int_equal(asked, 1);
    kill_backend(current_backend());
    assert_true(current_backend() > 0);
    assert_int_equal(asked, 2);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, open_db, close_db)
    const struct CMUnitTest tests[] = {
        T(a_cancel_from_another_thread),
        T(deadlines_keep_the_connection),
        T(the_servers_own_limit),
        T(a_server_that_is_silent),
        T(killed_while_idle),
        T(killed_between_checkout_and_statement),
        T(killed_in_a_transaction),
        T(cut_at_commit),
        T(connects_that_fail),
        T(bad_configurations),
        T(several_hosts),
        T(tls_modes),
        T(silence_is_noticed_under_tls_too),
        T(a_fork_leaves_the_parent_alone),
        T(credentials_are_asked_for)
    };
    return cmocka_run_group_tests_name("postgresql faults", tests, make_fresh, drop_fresh);
}
