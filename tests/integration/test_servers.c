/* The servers of the tests themselves: every one of the run answers, and one of a test's own can be stopped, killed and started again.
 * What the adapters' tests rely on is found out here, without an adapter. */
#include "dbm_test.h"
#include "servers/test_servers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Whether somebody takes a connection there. */
static bool listens(int port) {
    struct sockaddr_in address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool yes;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    yes = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) (void)close(fd);
    return yes;
}

static int port_of(const char *url) {
    const char *colon = strrchr(url, ':');
    assert_non_null(colon);
    return (int)strtol(colon + 1, NULL, 10);
}

static void every_server_listens(void **state) {
    static const char *const urls[] = { "postgresql", "mysql", "redis", "redis_tls", "mongodb", "pgbouncer" };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        if (!listens(port_of(servers_url(urls[i])))) fail_msg("%s does not listen", servers_url(urls[i]));
    }
    assert_true(listens(port_of(servers_variable("DBM_TEST_MEMCACHED"))));
    assert_non_null(strstr(servers_url("postgresql_socket"), "?host=/"));
    assert_non_null(strstr(servers_url("mysql_socket"), "?unix_socket=/"));
    assert_int_equal(strncmp(servers_url("redis_socket"), "unix://", 7), 0);
    assert_int_equal(access(servers_ca("client-both.pem"), R_OK), 0);
}

static void fresh_databases_are_empty_and_go(void **state) {
    static const char *const kinds[] = { "postgresql", "mysql" };
    char out[512], ask[256];
    size_t i;
    (void)state;
    for (i = 0; i < 2; i++) {
        servers_database one, two;
        servers_fresh(&one, kinds[i]);
        servers_fresh(&two, kinds[i]);
        assert_string_not_equal(one.name, two.name);
        servers_sql(&one, "create table t (a integer); insert into t values (41); select a + 1 from t;", out, sizeof out);
        assert_string_equal(out, "42");
        servers_sql(&two, i == 0 ? "select count(*) from pg_tables where tablename = 't';"
                                 : "select count(*) from information_schema.tables where table_schema = database();", out, sizeof out);
        assert_string_equal(out, "0");
        servers_drop(&one);
        (void)snprintf(ask, sizeof ask, i == 0 ? "select count(*) from pg_database where datname = '%s';"
                                              : "select count(*) from information_schema.schemata where schema_name = '%s';", one.name);
        servers_sql(&two, ask, out, sizeof out);
        assert_string_equal(out, "0");
        servers_drop(&two);
    }
    {
        servers_database db;
        servers_fresh(&db, "redis");
        servers_sql(&db, "set a 1\ndbsize\n", out, sizeof out);
        assert_string_equal(out, "OK\n1");
        servers_drop(&db);
        servers_sql(&db, "dbsize\n", out, sizeof out);
        assert_string_equal(out, "0");
        servers_fresh(&db, "mongodb");
        servers_drop(&db);
    }
}

static void own_server_dies_and_comes_back(void **state) {
    servers_own mine;
    servers_database db;
    char out[64];
    pid_t first;
    int port;
    (void)state;
    servers_start(&mine, "postgresql", "--cert", "expired", "--set", "max_connections=20", NULL);
    first = servers_pid(&mine);
    port = port_of(servers_own_url(&mine, "postgresql"));
    assert_string_not_equal(servers_own_url(&mine, "postgresql"), servers_url("postgresql"));
    servers_fresh_on(&db, &mine);
    servers_sql(&db, "show max_connections", out, sizeof out);
    assert_string_equal(out, "20");
    servers_sql(&db, "create table kept (a integer); insert into kept values (1);", out, sizeof out);
    servers_signal(&mine, SIGSTOP);
    servers_signal(&mine, SIGCONT);
    servers_signal(&mine, SIGKILL);
    assert_false(listens(port));
    servers_start_again(&mine, NULL);
    assert_int_not_equal(servers_pid(&mine), first);
    assert_int_equal(port_of(servers_own_url(&mine, "postgresql")), port);
    servers_sql(&db, "select count(*) from kept", out, sizeof out);
    assert_string_equal(out, "1"); /* what was committed outlives kill -9 */
    servers_signal(&mine, SIGSTOP); /* stopping works for one that is held */
    servers_stop(&mine);
    assert_false(listens(port));
    servers_remove(&mine);
    assert_int_equal(access(mine.dir, F_OK), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_server_listens),
        cmocka_unit_test(fresh_databases_are_empty_and_go),
        cmocka_unit_test(own_server_dies_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
