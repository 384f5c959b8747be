/* MongoDB servers that are killed or that stop, at each moment: what the status says of it, and that nothing takes longer than its time. Fail points
 * hold a command at the server (blockConnection), so that the kill meets it there. */
#include "dbm_test.h"
#include "servers/test_servers.h"

#include <time.h>
#include <mongoc/mongoc.h>

/* libmongoc 2.x lets nobody under the connections of its pool: a cancel is not heard meanwhile, and the driver takes a time-out for the server's end. */
#define OWN_STREAMS (!MONGOC_CHECK_VERSION(2, 0, 0)) /* else its socket's time-out follows the deadline */

enum { CONNECT_MS = 1500, HELD_MS = 20000, KILL_AFTER_MS = 400 };

static servers_own own;
static dbm_manager *mgr;
static dbm_database *db;

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
static void is_at(int line, dbm_status st, dbm_status want) {
    if (st != want) fail_msg("line %d: %s, not %s: %s", line, dbm_status_name(st), dbm_status_name(want), dbm_last_error()->message);
}
#define IS(call, want) is_at(__LINE__, call, want)

/* Lost, or not to be reached: what a read, or a transaction that is open, may say. Both are worth another try. */
static void gone_at(int line, dbm_status st) {
    if (st != DBM_E_LOST && st != DBM_E_CONNECT) fail_msg("line %d: %s: %s", line, dbm_status_name(st), dbm_last_error()->message);
    if (!dbm_last_error()->retryable) fail_msg("line %d: not retryable: %s", line, dbm_last_error()->message);
}
#define GONE(call) gone_at(__LINE__, call)

static void within_at(int line, double since, double seconds) {
    double took = now_s() - since;
    if (took > seconds) fail_msg("line %d: it took %.2f s, not %.1f", line, took, seconds);
}
#define WITHIN(since, seconds) within_at(__LINE__, since, seconds)

static dbm_stats_info stats(void) {
    dbm_stats_info st;
    OK(dbm_stats(db, &st));
    return st;
}

static int64_t count_of(const char *coll) {
    int64_t n = -1;
    OK(dbm_mongo_count(db, &n, coll, "{}"));
    return n;
}

static dbm_status count_now(void) {
    int64_t n = -1;
    return dbm_mongo_count(db, &n, "c", "{}");
}

/* Until a call gets through again. */
static void comes_back(void) {
    double since = now_s();
    dbm_status st;
    while ((st = count_now()) != DBM_OK && now_s() - since < 15.0) pause_ms(50);
    OK(st);
}

static void open_database(int statement_timeout_ms) {
    char url[400];
    const char *plain = servers_own_url(&own, "mongodb");
    (void)snprintf(url, sizeof url, "%s%sheartbeatFrequencyMS=500", plain, strchr(plain, '?') != NULL ? "&" : "?");
    mgr = NULL;
    OK(dbm_manager_create(&mgr, NULL));
    OK(dbm_add_database(mgr, DBM_CONFIG(.url = url, .pool.size = 4, .connect_timeout_ms = CONNECT_MS, .statement_timeout_ms = statement_timeout_ms)));
    OK(dbm_add_database(mgr, DBM_CONFIG(.name = "admin", .url = url, .options = (const dbm_option[]){ { "database", "admin" } }, .option_count = 1)));
    OK(dbm_init_all(mgr));
    db = dbm_get(mgr, NULL);
    OK(dbm_mongo_drop(db, "c"));
    OK(dbm_mongo_run(db, "{\"create\": \"c\"}"));
}

static void close_database(void) {
    double since = now_s();
    assert_int_equal(stats().out, 0);
    dbm_manager_free(mgr);
    WITHIN(since, 5.0);
}

static int set_up(void **state) {
    (void)state;
    servers_start(&own, "mongodb", NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    servers_remove(&own);
    return 0;
}

/* The next command of this name is held at the server, which may be killed meanwhile. */
static pid_t victim;
static pthread_t killer;
static void *kill_soon(void *ud) {
    (void)ud;
    pause_ms(KILL_AFTER_MS);
    (void)kill(victim, SIGKILL);
    return NULL;
}
static void held_at_the_server(const char *command) {
    char text[300];
    (void)snprintf(text, sizeof text, "{\"configureFailPoint\": \"failCommand\", \"mode\": {\"times\": 1}, \"data\": {\"failCommands\": [\"%s\"], \"blockConnection\": true, "
                   "\"blockTimeMS\": %d}}", command, HELD_MS);
    OK(dbm_mongo_run(dbm_get(mgr, "admin"), text));
}
static void killed_during(const char *command) {
    held_at_the_server(command);
    victim = servers_pid(&own);
    assert_int_equal(pthread_create(&killer, NULL, kill_soon, NULL), 0);
}
static void killed_and_started_again(void) {
    (void)pthread_join(killer, NULL);
    servers_stop(&own);
    servers_start_again(&own, NULL);
    comes_back();
}

/* ---- killed --------------------------------------------------------------------------------------------------------------- */

static void a_server_killed_while_idle_costs_no_call_that_could_be_run_again(void **state) {
    double since;
    (void)state;
    open_database(0);
    OK(dbm_mongo_insert(db, "c", "{\"_id\": 1}"));
    servers_signal(&own, SIGKILL);
    since = now_s();
    GONE(count_now());
    WITHIN(since, 5.0);
    since = now_s();
    GONE(count_now()); /* it is down: the pool says so at once, or after another connect_timeout */
    WITHIN(since, 5.0);
    servers_start_again(&own, NULL);
    comes_back();
    /* killed and back again before anybody asked: neither a read nor a write sees it */
    servers_signal(&own, SIGKILL);
    servers_start_again(&own, NULL);
    pause_ms(1200);
    OK(count_now());
    OK(dbm_mongo_insert(db, "c", "{\"_id\": 2}"));
    assert_true(count_of("c") >= 1); /* what the server had on disk is its own affair */
    close_database();
}

static void a_server_killed_between_calls_fails_the_session_once(void **state) {
    dbm_status rc = DBM_OK;
    double since;
    int64_t n = 0;
    (void)state;
    open_database(0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_mongo_insert(s, "c", "{\"_id\": 1}"));
        OK(dbm_mongo_count(s, &n, "c", "{}"));
        servers_signal(&own, SIGKILL);
        since = now_s();
        GONE(dbm_mongo_count(s, &n, "c", "{}"));
        WITHIN(since, 5.0);
        since = now_s();
        IS(dbm_mongo_insert(s, "c", "{\"_id\": 2}"), dbm_status_of(s)); /* errors stick, and nothing more is tried */
        WITHIN(since, 0.5);
    }
    assert_true(rc == DBM_E_LOST || rc == DBM_E_CONNECT);
    servers_start_again(&own, NULL);
    comes_back();
    /* in a transaction, which ends with the server: all of it may be run again */
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        OK(dbm_mongo_insert(s, "c", "{\"_id\": 10}"));
        servers_signal(&own, SIGKILL);
        GONE(dbm_mongo_insert(s, "c", "{\"_id\": 11}"));
    }
    assert_true(rc == DBM_E_LOST || rc == DBM_E_CONNECT);
    servers_start_again(&own, NULL);
    comes_back();
    assert_true(count_of("c") <= 1); /* 1, if the server had kept it; never 10 */
    /* a write that finds it gone has perhaps been heard, so it is not run again by itself */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_mongo_count(s, &n, "c", "{}"));
        servers_signal(&own, SIGKILL);
        since = now_s();
        rc = dbm_mongo_insert(s, "c", "{\"_id\": 3}");
        assert_true(rc == DBM_E_IN_DOUBT || rc == DBM_E_CONNECT);
        assert_true(rc != DBM_E_IN_DOUBT || !dbm_last_error()->retryable);
        WITHIN(since, 5.0);
    }
    assert_true(rc == DBM_E_IN_DOUBT || rc == DBM_E_CONNECT);
    servers_start_again(&own, NULL);
    comes_back();
    close_database();
}

static void a_server_killed_during_a_call(void **state) {
    dbm_stats_info before;
    dbm_status rc = DBM_OK;
    double since;
    (void)state;
    open_database(0);
    /* a read */
    killed_during("aggregate");
    since = now_s();
    GONE(count_now());
    WITHIN(since, 6.0);
    killed_and_started_again();
    /* a write: done or not, nobody knows */
    before = stats();
    killed_during("insert");
    since = now_s();
    IS(dbm_mongo_insert(db, "c", "{\"_id\": 1}"), DBM_E_IN_DOUBT);
    assert_false(dbm_last_error()->retryable);
    WITHIN(since, 6.0);
    assert_int_equal(stats().in_doubt - before.in_doubt, 1);
    killed_and_started_again();
    assert_true(count_of("c") <= 1);
    OK(dbm_mongo_delete_many(db, "c", "{}"));
    /* DBM_RETRY does not run it again either */
    {
        int runs = 0;
        killed_during("update");
        DBM_RETRY(mgr, NULL, s, 4) {
            runs++;
            dbm_mongo_update(s, "c", "{\"_id\": 2}", "{\"$inc\": {\"n\": 1}}", dbm_mongo_options("{\"upsert\": true}"));
        }
        DBM_FAILED(err) rc = err->status;
        assert_int_equal(rc, DBM_E_IN_DOUBT);
        assert_int_equal(runs, 1);
        killed_and_started_again();
    }
    /* a write of a transaction: nothing can have been committed */
    before = stats();
    killed_during("insert");
    since = now_s();
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) GONE(dbm_mongo_insert(s, "c", "{\"_id\": 3}"));
    assert_true(rc == DBM_E_LOST || rc == DBM_E_CONNECT);
    WITHIN(since, 6.0);
    assert_int_equal(stats().in_doubt - before.in_doubt, 0);
    killed_and_started_again();
    assert_int_equal(count_of("c"), 0);
    close_database();
}

static void a_server_killed_during_a_commit_leaves_doubt(void **state) {
    dbm_stats_info before;
    dbm_status rc = DBM_OK;
    double since;
    (void)state;
    open_database(0);
    before = stats();
    killed_during("commitTransaction");
    since = now_s();
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) OK(dbm_mongo_insert(s, "c", "{\"_id\": 1}"));
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    DBM_FAILED(err) {
        assert_int_equal(err->stage, DBM_STAGE_COMMIT);
        assert_false(err->retryable);
    }
    WITHIN(since, 8.0);
    assert_int_equal(stats().in_doubt - before.in_doubt, 1);
    killed_and_started_again();
    assert_int_equal(count_of("c"), 0); /* this time it was not done */
    close_database();
}

static void a_server_killed_under_a_cursor(void **state) {
    dbm_status rc = DBM_OK;
    double since = 0;
    int i, seen = 0;
    (void)state;
    open_database(0);
    for (i = 0; i < 50; i++) OK(dbm_mongo_insert(db, "c", "{\"_id\": ?}", i));
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH_DOC(s, doc, "c", "{}", dbm_mongo_options("{\"batchSize\": 10}")) {
            if (seen++ > 0) continue;
            servers_signal(&own, SIGKILL);
            since = now_s();
        }
        GONE(dbm_status_of(s));
    }
    WITHIN(since, 5.0);
    assert_true(seen >= 10 && seen < 50);
    assert_true(rc == DBM_E_LOST || rc == DBM_E_CONNECT);
    servers_start_again(&own, NULL);
    comes_back();
    close_database();
}

/* ---- stopped: it takes what is sent, and says nothing --------------------------------------------------------------------------------- */

static void a_silent_server_is_left_in_time(void **state) {
    dbm_stats_info before;
    dbm_status rc = DBM_OK;
    double since;
    int64_t n = 0;
    (void)state;
    open_database(500);
    /* a read: the answer, and the one to the driver's second try, are waited for until the time-outs are over */
    servers_signal(&own, SIGSTOP);
    since = now_s();
    rc = count_now();
    if (rc != DBM_E_TIMEOUT && rc != DBM_E_CONNECT && rc != DBM_E_LOST) fail_msg("%s: %s", dbm_status_name(rc), dbm_last_error()->message);
    WITHIN(since, 6.0);
    servers_signal(&own, SIGCONT);
    comes_back();
    /* a write may be done, and will be once the server goes on */
    before = stats();
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_mongo_count(s, &n, "c", "{}"));
        servers_signal(&own, SIGSTOP);
        since = now_s();
        IS(dbm_mongo_insert(s, "c", "{\"_id\": 1}"), DBM_E_IN_DOUBT);
        WITHIN(since, 6.0);
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    assert_int_equal(stats().in_doubt - before.in_doubt, 1);
    servers_signal(&own, SIGCONT);
    comes_back();
    /* a statement of a transaction, and then the end of one */
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        OK(dbm_mongo_insert(s, "c", "{\"_id\": 10}"));
        servers_signal(&own, SIGSTOP);
        since = now_s();
        rc = dbm_mongo_insert(s, "c", "{\"_id\": 11}");
        if (rc != DBM_E_TIMEOUT && rc != DBM_E_CONNECT && rc != DBM_E_LOST) fail_msg("%s: %s", dbm_status_name(rc), dbm_last_error()->message);
    }
    assert_true(rc == DBM_E_TIMEOUT || rc == DBM_E_CONNECT || rc == DBM_E_LOST);
    WITHIN(since, 10.0);
    servers_signal(&own, SIGCONT);
    comes_back();
    before = stats();
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        OK(dbm_mongo_insert(s, "c", "{\"_id\": 20}"));
        servers_signal(&own, SIGSTOP);
        since = now_s();
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    assert_int_equal(stats().in_doubt - before.in_doubt, 1);
    WITHIN(since, 10.0);
    servers_signal(&own, SIGCONT);
    comes_back();
    close_database();
}

/* Of the server's connection that a session has: the driver makes no new one while it has no reason to. */
static int64_t connection_of(dbm_session *s) {
    dbm_rows *rows = NULL;
    dbm_row *row = NULL;
    int64_t id;
    OK(dbm_mongo_command(s, &rows, "{\"hello\": 1}"));
    OK(dbm_rows_next(rows, &row));
    id = dbm_row_int(row, dbm_row_index(row, "connectionId"));
    dbm_rows_end(rows);
    return id;
}

static void next_call_works(void) {
    if (OWN_STREAMS) OK(count_now());
    else comes_back();
}

/* No time limit but the session's own. What it leaves behind harms nobody: neither the next session nor one that was there before. */
static void a_session_leaves_a_silent_server_at_its_deadline(void **state) {
    dbm_stats_info before;
    dbm_status rc = DBM_OK;
    double since = 0;
    int64_t n = 0, id;
    (void)state;
    open_database(0);
    DBM_SESSION(mgr, NULL, beside) {
        id = connection_of(beside);
        DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 300, .separate = 1, .status = &rc) {
            OK(dbm_mongo_count(s, &n, "c", "{}"));
            servers_signal(&own, SIGSTOP);
            since = now_s();
            IS(dbm_mongo_count(s, &n, "c", "{}"), DBM_E_TIMEOUT);
        }
        WITHIN(since, 3.0);
        assert_int_equal(rc, DBM_E_TIMEOUT);
        servers_signal(&own, SIGCONT);
        if (OWN_STREAMS) assert_int_equal(connection_of(beside), id);
    }
    next_call_works();
    /* a write, which is done when the server goes on */
    before = stats();
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 300, .status = &rc) {
        OK(dbm_mongo_count(s, &n, "c", "{}"));
        servers_signal(&own, SIGSTOP);
        since = now_s();
        IS(dbm_mongo_insert(s, "c", "{\"_id\": 1}"), DBM_E_IN_DOUBT);
        assert_false(dbm_last_error()->retryable);
    }
    WITHIN(since, OWN_STREAMS ? 3.0 : 1.5); /* the deadline and half a second, however often the driver tries */
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    assert_int_equal(stats().in_doubt - before.in_doubt, 1);
    servers_signal(&own, SIGCONT);
    next_call_works();
    /* more than a socket takes: the deadline comes while it is being sent */
    {
        static char text[4000001];
        memset(text, 'x', sizeof text - 1);
        DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 300, .status = &rc) {
            OK(dbm_mongo_count(s, &n, "c", "{}"));
            servers_signal(&own, SIGSTOP);
            since = now_s();
            IS(dbm_mongo_insert(s, "c", "{\"text\": ?, \"more\": ?}", text, text), DBM_E_IN_DOUBT);
        }
        WITHIN(since, 3.0);
        servers_signal(&own, SIGCONT);
        next_call_works();
    }
    /* between two documents */
    for (n = 100; n < 150; n++) OK(dbm_mongo_insert(db, "c", "{\"_id\": ?}", n));
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 1000, .status = &rc) {
        DBM_EACH_DOC(s, doc, "c", "{}", dbm_mongo_options("{\"batchSize\": 10}")) {
            if (rc == DBM_E_TIMEOUT) continue;
            rc = DBM_E_TIMEOUT;
            servers_signal(&own, SIGSTOP);
            since = now_s();
        }
        IS(dbm_status_of(s), DBM_E_TIMEOUT);
    }
    WITHIN(since, 4.0);
    servers_signal(&own, SIGCONT);
    next_call_works();
    /* in a transaction the end alone is in doubt */
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .timeout_ms = 1000, .status = &rc) {
        OK(dbm_mongo_insert(s, "c", "{\"_id\": 20}"));
        servers_signal(&own, SIGSTOP);
        since = now_s();
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    WITHIN(since, 5.0);
    servers_signal(&own, SIGCONT);
    next_call_works();
    /* a statement of it is not; a server keeps what the transaction holds until it hears of its end, or for a minute */
    before = stats();
    OK(dbm_mongo_insert(db, "other", "{}"));
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .timeout_ms = 1000, .status = &rc) {
        OK(dbm_mongo_insert(s, "other", "{\"_id\": 10}"));
        servers_signal(&own, SIGSTOP);
        since = now_s();
        IS(dbm_mongo_insert(s, "other", "{\"_id\": 11}"), DBM_E_TIMEOUT);
    }
    WITHIN(since, 5.0);
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_int_equal(stats().in_doubt - before.in_doubt, 0);
    servers_signal(&own, SIGCONT);
    comes_back();
    close_database();
}

/* ---- cancelled ------------------------------------------------------------------------------------------------------------------ */

#if OWN_STREAMS

static dbm_session to_cancel;
static pthread_t canceller;
static void *cancel_soon(void *ud) {
    (void)ud;
    pause_ms(KILL_AFTER_MS);
    OK(dbm_cancel(&to_cancel));
    return NULL;
}
static void cancelled_during(dbm_session *s, const char *command) {
    held_at_the_server(command);
    to_cancel = *s;
    assert_int_equal(pthread_create(&canceller, NULL, cancel_soon, NULL), 0);
}

static void a_running_call_is_cancelled(void **state) {
    dbm_status rc = DBM_OK;
    double since = 0;
    int64_t id, n = 0;
    (void)state;
    open_database(0);
    for (n = 100; n < 150; n++) OK(dbm_mongo_insert(db, "c", "{\"_id\": ?}", n));
    DBM_SESSION(mgr, NULL, beside) {
        id = connection_of(beside);
        DBM_SESSION_OPT(mgr, NULL, s, .separate = 1, .status = &rc) {
            cancelled_during(s, "aggregate");
            since = now_s();
            IS(dbm_mongo_count(s, &n, "c", "{}"), DBM_E_CANCELLED);
            (void)pthread_join(canceller, NULL);
        }
        WITHIN(since, 4.0);
        assert_int_equal(rc, DBM_E_CANCELLED);
        assert_int_equal(connection_of(beside), id);
    }
    OK(count_now());
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a write may be done */
        cancelled_during(s, "insert");
        since = now_s();
        IS(dbm_mongo_insert(s, "c", "{\"_id\": 1}"), DBM_E_IN_DOUBT);
        (void)pthread_join(canceller, NULL);
    }
    WITHIN(since, 4.0);
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) { /* not in a transaction, whose locks go with it */
        OK(dbm_mongo_update(s, "c", "{\"_id\": 100}", "{\"$set\": {\"n\": 1}}"));
        cancelled_during(s, "insert");
        since = now_s();
        IS(dbm_mongo_insert(s, "c", "{\"_id\": 2}"), DBM_E_CANCELLED);
        (void)pthread_join(canceller, NULL);
    }
    WITHIN(since, 4.0);
    assert_int_equal(rc, DBM_E_CANCELLED);
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 5000, .status = &rc) OK(dbm_mongo_update(s, "c", "{\"_id\": 100}", "{\"$set\": {\"n\": 2}}"));
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* in the middle of a result */
        int seen = 0;
        DBM_EACH_DOC(s, doc, "c", "{}", dbm_mongo_options("{\"batchSize\": 10}")) {
            if (seen++ == 0) cancelled_during(s, "getMore");
            since = now_s();
        }
        IS(dbm_status_of(s), DBM_E_CANCELLED);
        assert_true(seen >= 10 && seen < 50);
        (void)pthread_join(canceller, NULL);
    }
    WITHIN(since, 4.0);
    OK(count_now());
    close_database();
}
#endif

/* The whole of connect_timeout passes before a server that takes connections and says nothing is given up. */
static void a_silent_server_is_not_waited_for_longer_than_connect_timeout(void **state) {
    dbm_manager *m = NULL;
    dbm_status rc = DBM_OK;
    double since;
    (void)state;
    servers_signal(&own, SIGSTOP);
    OK(dbm_manager_create(&m, NULL));
    OK(dbm_add_database(m, DBM_CONFIG(.url = servers_own_url(&own, "mongodb"), .connect_timeout_ms = CONNECT_MS)));
    since = now_s();
    IS(dbm_init_all(m), DBM_E_CONNECT);
    WITHIN(since, 4.0);
    pause_ms(600);
    since = now_s();
    DBM_SESSION_OPT(m, NULL, s, .timeout_ms = 300, .status = &rc) fail_msg("the body ran");
    assert_true(rc == DBM_E_TIMEOUT || rc == DBM_E_CONNECT);
    WITHIN(since, 2.0);
    servers_signal(&own, SIGCONT);
    dbm_manager_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_killed_while_idle_costs_no_call_that_could_be_run_again), cmocka_unit_test(a_server_killed_between_calls_fails_the_session_once),
        cmocka_unit_test(a_server_killed_during_a_call), cmocka_unit_test(a_server_killed_during_a_commit_leaves_doubt), cmocka_unit_test(a_server_killed_under_a_cursor),
        cmocka_unit_test(a_silent_server_is_left_in_time), cmocka_unit_test(a_session_leaves_a_silent_server_at_its_deadline),
#if OWN_STREAMS
        cmocka_unit_test(a_running_call_is_cancelled),
#endif
        cmocka_unit_test(a_silent_server_is_not_waited_for_longer_than_connect_timeout)
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
