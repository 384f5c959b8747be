/* MongoDB over TLS: what each mode accepts of a good, a misnamed, an expired and a foreign certificate and of a server without TLS, with which status and in
 * which time; passwords over it; certificates that change while a program runs. */
#include "dbm_test.h"
#include "servers/test_servers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { SHORT_MS = 800 }; /* connect_timeout where all of it has to pass */

static double now_s(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_ms(long ms) {
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    (void)nanosleep(&t, NULL);
}

static void ok_at(int line, dbm_status st) {
    if (st != DBM_OK) fail_msg("line %d: %s: %s", line, dbm_status_name(st), dbm_last_error()->message);
}
#define OK(call) ok_at(__LINE__, call)

/* Nothing that is logged may hold the password either. */
static char logged[8192];
static void keep_log(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    size_t n = strlen(logged);
    (void)ud; (void)level; (void)event_id; (void)database;
    (void)snprintf(logged + n, sizeof logged - n, "%s\n", text);
}

static dbm_manager *manager_of(const dbm_config *config) {
    dbm_options options;
    dbm_manager *m = NULL;
    memset(&options, 0, sizeof options);
    options.log = keep_log;
    logged[0] = '\0';
    OK(dbm_manager_create(&m, &options));
    OK(dbm_add_database(m, config));
    return m;
}

static double took; /* by the last `opens` */
static dbm_status opens(const dbm_config *config) {
    dbm_manager *m = manager_of(config);
    double before = now_s();
    dbm_status st = dbm_init_all(m);
    int64_t n = -1;
    took = now_s() - before;
    if (st == DBM_OK) OK(dbm_mongo_count(dbm_get(m, NULL), &n, "tls", "{}"));
    dbm_manager_free(m);
    return st;
}

static void shows_at(int line, dbm_status st, dbm_status want, const char *part) {
    const char *said = dbm_last_error()->message;
    if (st != want) fail_msg("line %d: %s, not %s, after %.2f s: %s", line, dbm_status_name(st), dbm_status_name(want), took, st != DBM_OK ? said : "");
    if (part != NULL && strstr(said, part) == NULL) fail_msg("line %d: no %s in: %s", line, part, said);
    if (strstr(said, "hunter2") != NULL || strstr(logged, "hunter2") != NULL) fail_msg("line %d: the password is shown: %s %s", line, said, logged);
}
#define SHOWS(call, want, part) shows_at(__LINE__, call, want, part)

/* mongodb://127.0.0.1:PORT/tls, with a user that no server of these knows: a handshake that fails comes before it is asked for. */
static const char *url_of(servers_own *own, const char *user) {
    static char url[120];
    (void)snprintf(url, sizeof url, "mongodb://%s127.0.0.1:%s/tls", user, servers_own_variable(own, "DBM_TEST_MONGODB_PORT"));
    return url;
}
#define NOBODY "app:hunter2@"

static void each_mode_takes_the_certificates_that_it_says(void **state) {
    static const struct { const char *name; dbm_status ca, full; const char *ca_text, *full_text; } certs[] = {
        { "good", DBM_OK, DBM_OK, NULL, NULL },
        { "wrong", DBM_OK, DBM_E_TLS, NULL, "mismatch" },
        { "expired", DBM_E_TLS, DBM_E_TLS, "expired", "expired" },
        { "foreign", DBM_E_TLS, DBM_E_TLS, "issuer", "issuer" }
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof certs / sizeof certs[0]; i++) {
        servers_own own;
        const char *ca = servers_ca("ca.pem");
        double worst = 0;
        servers_start(&own, "mongodb", "--tls", "--cert", certs[i].name, NULL);
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = DBM_TLS_OFF, .connect_timeout_ms = SHORT_MS)), DBM_E_CONNECT, NULL);
        assert_true(took < 3.0);
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = DBM_TLS_PREFER, .tls_ca = ca)), DBM_E_CONFIG, "prefer");
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, ""), .tls = DBM_TLS_REQUIRE)), DBM_OK, NULL);
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, ""), .tls = DBM_TLS_REQUIRE, .tls_ca = ca)), DBM_OK, NULL);
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, certs[i].ca != DBM_OK ? NOBODY : ""), .tls = DBM_TLS_VERIFY_CA, .tls_ca = ca)), certs[i].ca, certs[i].ca_text);
        worst = took;
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, certs[i].full != DBM_OK ? NOBODY : ""), .tls = DBM_TLS_VERIFY_FULL, .tls_ca = ca)), certs[i].full, certs[i].full_text);
        if (took > worst) worst = took;
        /* the authority is none of the system's */
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = DBM_TLS_VERIFY_FULL)), DBM_E_TLS, "TLS handshake failed");
        if (took > worst) worst = took;
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = DBM_TLS_VERIFY_CA)), DBM_E_TLS, "TLS handshake failed");
        if (took > worst) worst = took;
        assert_true(worst < 4.0); /* a bad certificate shows at once, not after the five seconds that a server has to come back */
        servers_remove(&own);
    }
}

static void files_that_are_not_right_are_named(void **state) {
    servers_own own;
    char url[300];
    (void)state;
    servers_start(&own, "mongodb", "--tls", NULL);
    SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = DBM_TLS_VERIFY_FULL, .tls_ca = "/nowhere/ca.pem")), DBM_E_TLS, "tls_ca can't be read: /nowhere/ca.pem");
    SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = DBM_TLS_REQUIRE, .tls_cert = "/nowhere/both.pem")), DBM_E_TLS, "tls_cert can't be read");
    SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = DBM_TLS_VERIFY_FULL, .tls_ca = "LICENSE", .connect_timeout_ms = SHORT_MS)), DBM_E_TLS, "TLS");
    assert_true(took < 4.0);
    SHOWS(opens(DBM_CONFIG(.url = url_of(&own, ""), .tls = DBM_TLS_VERIFY_FULL, .tls_ca = servers_ca("ca.pem"), .tls_cert = servers_ca("client-both.pem"))), DBM_OK, NULL);
    /* the driver's own words in the URL are as good, and wrong ones are as quick */
    (void)snprintf(url, sizeof url, "%s?tls=true&tlsCAFile=%s", url_of(&own, ""), servers_ca("ca.pem"));
    SHOWS(opens(DBM_CONFIG(.url = url)), DBM_OK, NULL);
    (void)snprintf(url, sizeof url, "%s?tls=true&tlsCAFile=%s", url_of(&own, NOBODY), servers_ca("foreign-ca.pem"));
    SHOWS(opens(DBM_CONFIG(.url = url)), DBM_E_TLS, "TLS handshake failed");
    assert_true(took < 4.0);
    servers_remove(&own);
}

/* Hears the first bytes of a handshake, answers `answer` (NULL: nothing), and closes, as servers do that have no TLS. */
typedef struct plain { int fd, port, stop; const char *answer; pthread_t thread; } plain;
static void *plain_run(void *ud) {
    plain *p = (plain *)ud;
    while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
        char some[1024];
        int fd = accept(p->fd, NULL, NULL);
        if (fd < 0) continue;
        if (recv(fd, some, sizeof some, 0) > 0 && p->answer != NULL) (void)send(fd, p->answer, strlen(p->answer), MSG_NOSIGNAL);
        (void)close(fd);
    }
    return NULL;
}
static void plain_start(plain *p, const char *answer) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    struct timeval soon = { 0, 100000 };
    memset(p, 0, sizeof *p);
    memset(&address, 0, sizeof address);
    p->answer = answer;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    assert_int_equal(bind(p->fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(p->fd, 16), 0);
    assert_int_equal(getsockname(p->fd, (struct sockaddr *)&address, &size), 0);
    p->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&p->thread, NULL, plain_run, p), 0);
}
static void plain_stop(plain *p) {
    __atomic_store_n(&p->stop, 1, __ATOMIC_RELAXED);
    (void)pthread_join(p->thread, NULL);
    (void)close(p->fd);
}

static void a_server_without_tls_is_not_talked_to(void **state) {
    static const char *const answers[] = { NULL, "HTTP/1.0 400 Bad Request\r\n\r\n" };
    static const dbm_tls modes[] = { DBM_TLS_REQUIRE, DBM_TLS_VERIFY_CA, DBM_TLS_VERIFY_FULL };
    servers_own own;
    size_t i, j;
    (void)state;
    for (i = 0; i < 2; i++) {
        plain p;
        char url[100];
        plain_start(&p, answers[i]);
        (void)snprintf(url, sizeof url, "mongodb://" NOBODY "127.0.0.1:%d/tls", p.port);
        for (j = 0; j < 3; j++) {
            SHOWS(opens(DBM_CONFIG(.url = url, .tls = modes[j], .tls_ca = servers_ca("ca.pem"))), DBM_E_TLS, "TLS handshake failed");
            assert_true(took < 4.0);
        }
        plain_stop(&p);
    }
    /* one that waits for the rest of what it takes for a message says nothing at all: known when connect_timeout is over */
    servers_start(&own, "mongodb", NULL);
    for (j = 0; j < 3; j++) {
        SHOWS(opens(DBM_CONFIG(.url = url_of(&own, NOBODY), .tls = modes[j], .tls_ca = servers_ca("ca.pem"), .connect_timeout_ms = SHORT_MS)), DBM_E_TLS, "TLS handshake");
        assert_true(took < 4.0);
    }
    SHOWS(opens(DBM_CONFIG(.url = url_of(&own, ""), .tls = DBM_TLS_OFF)), DBM_OK, NULL);
    SHOWS(opens(DBM_CONFIG(.url = url_of(&own, ""))), DBM_OK, NULL); /* not set: off, as for all that is loopback */
    servers_remove(&own);
}

static void passwords_go_over_tls(void **state) {
    servers_own own;
    char url[300];
    const char *full, *at;
    dbm_manager *m;
    dbm_row *row = NULL;
    dbm_status rc = DBM_OK;
    (void)state;
    servers_start(&own, "mongodb", "--auth", "--tls", NULL);
    full = servers_own_url(&own, "mongodb");
    m = manager_of(DBM_CONFIG(.url = full));
    OK(dbm_init_all(m));
    DBM_SESSION_OPT(m, NULL, s, .transaction = 1, .status = &rc) OK(dbm_mongo_insert(s, "tls", "{\"_id\": 1, \"a\": ?}", "over TLS"));
    assert_int_equal(rc, DBM_OK);
    OK(dbm_mongo_find_one(dbm_get(m, NULL), &row, "tls", "{}"));
    assert_string_equal(dbm_doc_text(row, "a"), "over TLS");
    dbm_row_end(row);
    dbm_manager_free(m);
    at = strrchr(full, '@');
    assert_non_null(at);
    (void)snprintf(url, sizeof url, "%.*s/tls?authSource=admin", (int)strcspn(full + 10, "/") + 10, full);
    SHOWS(opens(DBM_CONFIG(.url = url, .tls = DBM_TLS_VERIFY_FULL, .tls_ca = servers_ca("ca.pem"))), DBM_OK, NULL);
    SHOWS(opens(DBM_CONFIG(.url = url, .tls = DBM_TLS_VERIFY_FULL, .tls_ca = servers_ca("foreign-ca.pem"))), DBM_E_TLS, "TLS handshake failed");
    SHOWS(opens(DBM_CONFIG(.url = url, .tls = DBM_TLS_OFF, .connect_timeout_ms = SHORT_MS)), DBM_E_CONNECT, NULL);
    assert_null(strstr(dbm_last_error()->message, "s3cret"));
    (void)snprintf(url, sizeof url, "mongodb://dbm:hunter2%s", at);
    SHOWS(opens(DBM_CONFIG(.url = url)), DBM_E_AUTH, NULL);
    (void)snprintf(url, sizeof url, "mongodb://%s", at + 1);
    {   /* nobody at all: the server does not let him read */
        int64_t n;
        m = manager_of(DBM_CONFIG(.url = url));
        if (dbm_init_all(m) == DBM_OK) assert_true(dbm_mongo_count(dbm_get(m, NULL), &n, "tls", "{}") != DBM_OK);
        dbm_manager_free(m);
    }
    servers_remove(&own);
}

static void a_certificate_may_go_bad_and_be_mended(void **state) {
    servers_own own;
    dbm_manager *m;
    dbm_database *d;
    dbm_status rc = DBM_OK;
    int64_t n = 0;
    double before;
    int i;
    (void)state;
    servers_start(&own, "mongodb", "--tls", NULL);
    m = manager_of(DBM_CONFIG(.url = url_of(&own, ""), .tls = DBM_TLS_VERIFY_FULL, .tls_ca = servers_ca("ca.pem"), .connect_timeout_ms = 2000));
    OK(dbm_init_all(m));
    d = dbm_get(m, NULL);
    OK(dbm_mongo_insert(d, "tls", "{\"_id\": 1}"));
    servers_stop(&own);
    servers_start_again(&own, "--tls", "--cert", "expired", NULL);
    before = now_s();
    rc = dbm_mongo_count(d, &n, "tls", "{}");
    if (rc != DBM_E_TLS) fail_msg("%s: %s", dbm_status_name(rc), dbm_last_error()->message);
    assert_true(now_s() - before < 6.0);
    pause_ms(600); /* the pause after a connect that failed */
    before = now_s();
    rc = dbm_mongo_count(d, &n, "tls", "{}");
    if (rc != DBM_E_TLS) fail_msg("%s: %s", dbm_status_name(rc), dbm_last_error()->message);
    assert_true(now_s() - before < 4.0);
    servers_stop(&own);
    servers_start_again(&own, "--tls", NULL);
    before = now_s();
    for (i = 0; i < 50 && (rc = dbm_mongo_count(d, &n, "tls", "{}")) != DBM_OK; i++) pause_ms(100);
    if (rc != DBM_OK) fail_msg("%s: %s", dbm_status_name(rc), dbm_last_error()->message);
    assert_true(now_s() - before < 5.0);
    assert_int_equal(n, 1);
    dbm_manager_free(m);
    servers_remove(&own);
}

/* A deadline ends a wait under TLS too, and what it leaves behind goes when the connection is used again. */
static void a_silent_server_is_left_at_the_deadline(void **state) {
    servers_own own;
    dbm_manager *m;
    dbm_database *d;
    dbm_status rc = DBM_OK;
    int64_t n = 0;
    double before;
    (void)state;
    servers_start(&own, "mongodb", "--tls", NULL);
    /* with libmongoc 2.x the driver tries once more, and a handshake without an answer takes all of connect_timeout */
    m = manager_of(DBM_CONFIG(.url = url_of(&own, ""), .tls = DBM_TLS_VERIFY_FULL, .tls_ca = servers_ca("ca.pem"), .connect_timeout_ms = 1000));
    OK(dbm_init_all(m));
    d = dbm_get(m, NULL);
    OK(dbm_mongo_insert(d, "tls", "{\"_id\": 1}"));
    DBM_SESSION_OPT(m, NULL, s, .timeout_ms = 300, .status = &rc) {
        OK(dbm_mongo_count(s, &n, "tls", "{}"));
        servers_signal(&own, SIGSTOP);
        before = now_s();
        (void)dbm_mongo_count(s, &n, "tls", "{}");
        took = now_s() - before;
    }
    SHOWS(rc, DBM_E_TIMEOUT, "deadline");
    if (took >= 3.0) fail_msg("it took %.2f s", took);
    servers_signal(&own, SIGCONT);
    OK(dbm_mongo_count(d, &n, "tls", "{}"));
    assert_int_equal(n, 1);
    dbm_manager_free(m);
    servers_remove(&own);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mode_takes_the_certificates_that_it_says), cmocka_unit_test(files_that_are_not_right_are_named),
        cmocka_unit_test(a_server_without_tls_is_not_talked_to), cmocka_unit_test(passwords_go_over_tls),
        cmocka_unit_test(a_silent_server_is_left_at_the_deadline), cmocka_unit_test(a_certificate_may_go_bad_and_be_mended)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
