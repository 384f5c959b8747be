/* Calls that go together, and calls on a database, on real servers: PostgreSQL and Redis in one send, MariaDB one by one, SQLite on workers. What fails fails alone,
 * what is large both ways at once does not stand still, and what is cancelled cancels nobody else's. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "dbm_test.h"
#include "proxy.h"
#include "servers/test_servers.h"

enum { SQLITE, POSTGRESQL, MARIADB, REDIS, TYPES };
static const char *const types[] = { "sqlite", "postgresql", "mysql", "redis" };
static int type;
static test_dir dir;
static servers_database fresh;
static test_log logged;
static dbm_manager *mgr;
static dbm_database *db;
static dbm_loop *loop;
static proxy through;
static bool proxied;

#define assert_ok(call) do { dbm_status ok_st = (call); \
    if (ok_st != DBM_OK) fail_msg("%s: %s: %s: %s", types[type], #call, dbm_status_name(ok_st), dbm_last_error()->message); } while (0)
#define assert_status(call, want) do { dbm_status got_st = (call); \
    if (got_st != (want)) fail_msg("%s: %s: %s, expected %s: %s", types[type], #call, dbm_status_name(got_st), dbm_status_name(want), dbm_last_error()->message); } while (0)

/* The same URL with the proxy's port. */
static void through_proxy(char *url, size_t size) {
    char before[1000], *at = strrchr(url, '@'), *port = at != NULL ? strchr(at, ':') : NULL;
    int number = port != NULL ? atoi(port + 1) : 0;
    assert_true(number > 0);
    (void)snprintf(before, sizeof before, "%s", strchr(port + 1, '/'));
    proxy_start(&through, number);
    (void)snprintf(port + 1, size - (size_t)(port + 1 - url), "%d%s", through.port, before);
}

static void open_with(int connections, bool by_proxy) {
    dbm_options options;
    dbm_config config;
    char url[1200];
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    test_log_clear(&logged);
    options.log = test_log_hook;
    options.log_ud = &logged;
    options.no_env = true;
    options.grace_ms = 3000;
    config.pool.size = connections;
    config.pool.max_overflow = -1;
    config.pool.timeout_ms = 30000;
    if (type == SQLITE) test_dir_make(&dir);
    else servers_fresh(&fresh, types[type]);
    (void)snprintf(url, sizeof url, "%s", type == SQLITE ? test_dir_url(&dir, "a.db") : fresh.url);
    proxied = by_proxy;
    if (by_proxy) through_proxy(url, sizeof url);
    config.url = url;
    assert_ok(dbm_manager_create(&mgr, &options));
    assert_ok(dbm_add_database(mgr, &config));
    assert_non_null(db = dbm_get(mgr, NULL));
    if (type != REDIS) assert_ok(dbm_exec(db, type == MARIADB ? "CREATE TABLE unit (n INTEGER PRIMARY KEY, t LONGTEXT)" : "CREATE TABLE unit (n INTEGER PRIMARY KEY, t TEXT)"));
    assert_ok(dbm_loop_create(&loop, mgr, NULL));
}
static void close_all(void) {
    dbm_stats_info s;
    dbm_loop_free(loop);
    assert_int_equal(dbm_stats(db, &s), DBM_OK);
    assert_int_equal(s.out, 0);
    assert_int_equal(s.connecting, 0);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.idle, s.open);
    assert_ok(dbm_close_all(mgr));
    dbm_manager_free(mgr);
    if (proxied) proxy_stop(&through);
    if (type == SQLITE) test_dir_remove(&dir);
    else servers_drop(&fresh);
}

typedef struct ended { int times; dbm_status status; dbm_error_info error; } ended;
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    ended *e = (ended *)ud;
    e->times++;
    e->status = status;
    if (error != NULL) e->error = *error;
}
static void run(int ms) {
    if (dbm_loop_run(loop, ms) != DBM_OK) fail_msg("%s: not over in time", types[type]);
}

/* ---- calls of many tasks -------------------------------------------------------------------------------------------------- */

enum { TASKS = 64 };
typedef struct asker { int n, i, rounds, wrong, busy; dbm_row *row; dbm_rows *rows; dbm_status rc; int64_t sum; } asker;

static dbm_task_status ask(dbm_task *t) {
    asker *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (type == REDIS) DBM_AWAIT(t, dbm_async_redis_command(db, NULL, "SET key%d %d", x->n, x->n * 10));
    else DBM_AWAIT(t, dbm_async_exec(db, "INSERT INTO unit VALUES (?, ?)", x->n, "a text"));
    for (x->i = 0; x->i < x->rounds; x->i++) {
        if (type == REDIS) {
            DBM_AWAIT(t, dbm_async_redis_command(db, &x->row, "GET key%d", x->n));
            if (dbm_row_int(x->row, 0) != x->n * 10) x->wrong++;
            DBM_TRY_AWAIT(t, &x->rc, dbm_async_redis_command(db, NULL, "LPUSH key%d %d", x->n, 1));
            if (x->rc != DBM_E_SQL) x->wrong++;
            continue;
        }
        DBM_AWAIT(t, dbm_async_query_one(db, &x->row, "SELECT n, t FROM unit WHERE n = ?", x->n));
        if (dbm_row_int(x->row, 0) != x->n || strcmp(dbm_row_text(x->row, 1), "a text") != 0) x->wrong++;
        if (x->i % 4 == 1) {
            DBM_TRY_AWAIT(t, &x->rc, dbm_async_query_one(db, &x->row, "SELECT n FROM unit WHERE n = ?", -1));
            if (x->rc != DBM_E_NOT_FOUND || x->row != NULL) x->wrong++;
            DBM_TRY_AWAIT(t, &x->rc, dbm_async_exec(db, "INSERT INTO unit VALUES (?, ?)", x->n, "twice"));
            if (x->rc != DBM_E_CONSTRAINT) x->wrong++;
            DBM_TRY_AWAIT(t, &x->rc, dbm_async_exec(db, "SELEKT ?", x->n));
            if (x->rc != DBM_E_SQL) x->wrong++;
        }
        if (x->i % 4 == 2) {
            DBM_AWAIT(t, dbm_async_query(db, &x->rows, "SELECT n FROM unit WHERE n >= ? ORDER BY n", x->n));
            x->sum = 0;
            DBM_AWAIT_ROW(t, x->rows, x->row) {
                if (dbm_row_int(x->row, 0) < x->n) x->wrong++;
                if (++x->sum == 3) break;
            }
            if (x->sum == 3) DBM_AWAIT(t, dbm_async_rows_end(x->rows));
        }
    }
    DBM_TASK_END(t);
}

static void many(int connections, int rounds) {
    static asker all[TASKS];
    static ended ends[TASKS];
    memset(all, 0, sizeof all);
    memset(ends, 0, sizeof ends);
    open_with(connections, false);
    for (int i = 0; i < TASKS; i++) {
        all[i].n = i;
        all[i].rounds = rounds;
        assert_non_null(dbm_spawn_opt(loop, ask, &all[i], .on_end = on_end, .on_end_ud = &ends[i]).loop);
    }
    run(100000);
    for (int i = 0; i < TASKS; i++) {
        if (ends[i].times != 1 || ends[i].status != DBM_OK || all[i].wrong != 0)
            fail_msg("%s: task %d: %s, %d wrong: %s", types[type], i, dbm_status_name(ends[i].status), all[i].wrong, ends[i].error.message);
    }
    close_all();
}

static void tasks_share_connections(void **state) {
    (void)state;
    for (type = SQLITE; type < TYPES; type++) {
        many(1, 4);
        many(4, type == SQLITE ? 8 : 20);
    }
}

/* ---- one session, several calls in a turn ------------------------------------------------------------------------------------- */

enum { CALLS = 40 };
typedef struct told { int times; dbm_status status; dbm_row *row; int64_t value; } told;
static int told_order, told_at[CALLS];
static told all_told[CALLS];
static void on_told(void *ud, dbm_status status) {
    told *t = (told *)ud;
    t->times++;
    t->status = status;
    told_at[t - all_told] = told_order++;
    if (status == DBM_OK && t->row != NULL && db->replies) t->value = dbm_row_int(t->row, 0); /* elsewhere it ends with the next call */
}
static void on_any(void *ud, dbm_status status) { *(dbm_status *)ud = status; }

static void several_in_a_turn(void **state) {
    dbm_session s;
    dbm_status st = DBM_E_CLOSED;
    long turns = 0;
    (void)state;
    for (type = POSTGRESQL; type < TYPES; type++) {
        for (int round = 0; round < 3; round++) {
            if (round == 0) {
                open_with(2, true);
                assert_ok(dbm_async_session_cb(loop, db, NULL, &s, on_any, &st));
                run(30000);
                assert_ok(st);
            }
            memset(all_told, 0, sizeof all_told);
            told_order = 0;
            turns = proxy_turns(&through);
            for (int i = 0; i < CALLS; i++) {
                told *t = &all_told[i];
                if (type == REDIS) assert_ok(dbm_async_redis_command_cb(&s, &t->row, on_told, t, "INCR n"));
                else if (i % 2 == 0) assert_ok(dbm_async_exec_cb(&s, on_told, t, "INSERT INTO unit VALUES (?, ?)", round * 100 + i, "text"));
                else assert_ok(dbm_async_query_one_cb(&s, &t->row, on_told, t, "SELECT COUNT(*) FROM unit"));
            }
            run(30000);
            turns = proxy_turns(&through) - turns;
            for (int i = 0; i < CALLS; i++) {
                if (all_told[i].times != 1 || all_told[i].status != DBM_OK || told_at[i] != i) fail_msg("%s: call %d: %s", types[type], i, dbm_status_name(all_told[i].status));
                if (type == REDIS) assert_int_equal(all_told[i].value, round * CALLS + i + 1);
                else if (db->replies && i % 2 == 1) assert_int_equal(all_told[i].value, round * CALLS / 2 + i / 2 + 1);
            }
        }
        printf("%s: %ld round trips for %d calls\n", types[type], turns, CALLS);
        if (db->replies) assert_int_equal(turns, 1);
        assert_ok(dbm_async_end_cb(&s, on_any, &st));
        run(30000);
        assert_ok(st);
        close_all();
    }
}

/* dbm_affected() is that of the call that is told, in the callback, or after its await, though those behind it have been answered. */
static const char *const counted[] = { "INSERT INTO unit SELECT n, 'x' FROM generate_series(1, 7) AS n", "UPDATE unit SET t = 'y' WHERE n < 4", "DELETE FROM unit WHERE n = 7",
    "UPDATE unit SET t = 'z' WHERE n > 100", "DELETE FROM unit" };
static const int counts[] = { 7, 3, 1, 0, 6 };
enum { COUNTED = 5 };
static dbm_session counting;
static int64_t heard_counts[COUNTED];
static int heard_count;
static void on_counted(void *ud, dbm_status status) {
    (void)ud;
    assert_ok(status);
    heard_counts[heard_count++] = dbm_affected(&counting);
}
typedef struct counter { dbm_session s; dbm_act *acts[COUNTED]; int i; } counter;
static dbm_task_status counts_rows(dbm_task *t) {
    counter *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    for (x->i = 0; x->i < COUNTED; x->i++) x->acts[x->i] = dbm_async_exec(&x->s, counted[x->i]);
    DBM_AWAIT(t, dbm_async_sleep(t, 100)); /* all have been answered */
    for (x->i = 0; x->i < COUNTED; x->i++) {
        DBM_AWAIT(t, x->acts[x->i]);
        heard_counts[heard_count++] = dbm_affected(&x->s);
    }
    DBM_TASK_END(t);
}
static void each_tells_its_own_count(void **state) {
    dbm_status st = DBM_E_CLOSED;
    counter x;
    (void)state;
    type = POSTGRESQL;
    open_with(1, true);
    for (int round = 0; round < 4; round++) {
        long turns = proxy_turns(&through);
        memset(&x, 0, sizeof x);
        heard_count = 0;
        if (round % 2 == 0) {
            assert_ok(dbm_async_session_cb(loop, db, NULL, &counting, on_any, &st));
            run(30000);
            assert_ok(st);
            turns = proxy_turns(&through);
            for (int i = 0; i < COUNTED; i++) assert_ok(dbm_async_exec_cb(&counting, on_counted, NULL, counted[i]));
            run(30000);
            if (round > 0) assert_int_equal(proxy_turns(&through) - turns, 1);
            assert_ok(dbm_async_end_cb(&counting, on_any, &st));
        } else {
            assert_non_null(dbm_spawn(loop, counts_rows, &x).loop);
        }
        run(30000);
        assert_int_equal(heard_count, COUNTED);
        for (int i = 0; i < COUNTED; i++) if (heard_counts[i] != counts[i]) fail_msg("round %d: call %d: %d rows, not %d", round, i, (int)heard_counts[i], counts[i]);
    }
    close_all();
}

/* What a SELECT has written is committed when it has been answered, whoever fails beside it. */
static void each_is_committed_alone(void **state) {
    static const char *const texts[] = { "SELECT adds(1)", "SELECT 1 / (n - n) FROM generate_series(1, 1) AS n", "SELECT adds(2)", "INSERT INTO unit VALUES (2, 'again')", "SELECT adds(3)" };
    static const dbm_status want[] = { DBM_OK, DBM_E_SQL, DBM_OK, DBM_E_CONSTRAINT, DBM_OK };
    dbm_status st[5], begun = DBM_E_CLOSED;
    dbm_session_options options;
    dbm_session s;
    dbm_row *row;
    (void)state;
    type = POSTGRESQL;
    for (int on_session = 0; on_session < 2; on_session++) {
        open_with(1, false);
        assert_ok(dbm_exec(db, "CREATE FUNCTION adds(k integer) RETURNS integer LANGUAGE sql AS 'INSERT INTO unit VALUES (k, NULL) ON CONFLICT (n) DO UPDATE SET t = ''x'' RETURNING n'"));
        memset(&options, 0, sizeof options);
        options.autocommit = true;
        if (on_session) {
            assert_ok(dbm_async_session_cb(loop, db, &options, &s, on_any, &begun));
            run(30000);
            assert_ok(begun);
        }
        for (int round = 0; round < 2; round++) {
            for (int i = 0; i < 5; i++) {
                st[i] = DBM_E_CLOSED;
                if (on_session) assert_ok(dbm_async_exec_cb(&s, on_any, &st[i], texts[i]));
                else assert_ok(dbm_async_exec_cb(dbm_async_on(loop, db), on_any, &st[i], texts[i]));
            }
            run(30000);
            if (on_session) break; /* the first failure sticks */
            for (int i = 0; i < 5; i++) assert_status(st[i], want[i]);
        }
        assert_status(st[0], DBM_OK);
        assert_status(st[1], DBM_E_SQL);
        if (on_session) {
            assert_ok(dbm_async_end_cb(&s, on_any, &begun));
            run(30000);
            assert_status(begun, DBM_E_SQL);
        }
        assert_ok(dbm_query_one(db, &row, "SELECT COUNT(*) FROM unit"));
        assert_int_equal(dbm_row_int(row, 0), on_session ? 1 : 3);
        dbm_row_end(row);
        close_all();
    }
}

/* ---- large both ways at once ------------------------------------------------------------------------------------------------------- */

enum { PART = 2000, TIMES = 500, LARGE = PART * TIMES, LARGE_CALLS = 12 };
static char *large, part[PART + 1];
static int large_over;
static void on_large(void *ud, dbm_status status) {
    dbm_row **row = (dbm_row **)ud;
    if (status != DBM_OK) fail_msg("%s: %s", types[type], dbm_last_error()->message);
    if (strlen(dbm_row_text(*row, 0)) != LARGE) fail_msg("%s: cut short", types[type]);
    large_over++;
}
#define GROWS "return string.rep(ARGV[1], 500)"
#define REPEATED (type == POSTGRESQL ? "SELECT repeat(CAST(? AS text), 500)" : "SELECT REPEAT(?, 500)")
#define SAME (type == POSTGRESQL ? "SELECT CAST(? AS text)" : "SELECT ?")
typedef struct echoer { dbm_row *row; int i, n; } echoer;
static dbm_task_status echo_large(dbm_task *t) {
    echoer *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (x->i = 0; x->i < 3; x->i++) {
        if (type == REDIS) DBM_AWAIT(t, dbm_async_redis_command(db, &x->row, "ECHO %s", large)); /* too large to go with others */
        else DBM_AWAIT(t, dbm_async_query_one(db, &x->row, SAME, large));
        if (strlen(dbm_row_text(x->row, 0)) != LARGE) return dbm_task_fail(t, DBM_E_RANGE);
        if (type == REDIS) DBM_AWAIT(t, dbm_async_redis_command(db, &x->row, "EVAL %s 0 %s", GROWS, part)); /* so many of these are in flight */
        else DBM_AWAIT(t, dbm_async_query_one(db, &x->row, REPEATED, part));
        if (strlen(dbm_row_text(x->row, 0)) != LARGE) return dbm_task_fail(t, DBM_E_RANGE);
    }
    DBM_TASK_END(t);
}

static void large_both_ways(void **state) {
    static dbm_row *rows[LARGE_CALLS];
    static echoer echoers[LARGE_CALLS];
    static ended ends[LARGE_CALLS];
    dbm_session s;
    dbm_status st = DBM_E_CLOSED;
    (void)state;
    large = (char *)malloc(LARGE + 1);
    assert_non_null(large);
    memset(large, 'x', LARGE);
    large[LARGE] = 0;
    memset(part, 'y', PART);
    for (type = POSTGRESQL; type < TYPES; type++) {
        open_with(1, true);
        through.piece = 8000; /* slow, so that buffers are full */
        assert_ok(dbm_async_session_cb(loop, db, NULL, &s, on_any, &st));
        run(30000);
        assert_ok(st);
        for (int round = 0; round < 2; round++) {
            large_over = 0;
            for (int i = 0; i < LARGE_CALLS; i++) {
                if (type == REDIS) assert_ok(dbm_async_redis_command_cb(&s, &rows[i], on_large, &rows[i], "EVAL %s 0 %s", GROWS, part));
                else if (db->replies) assert_ok(dbm_async_query_one_cb(&s, &rows[i], on_large, &rows[i], REPEATED, part));
            }
            run(100000);
            assert_int_equal(large_over, db->replies ? LARGE_CALLS : 0);
        }
        assert_ok(dbm_async_end_cb(&s, on_any, &st));
        run(30000);
        memset(echoers, 0, sizeof echoers);
        memset(ends, 0, sizeof ends);
        for (int i = 0; i < LARGE_CALLS; i++) {
            echoers[i].n = i;
            assert_non_null(dbm_spawn_opt(loop, echo_large, &echoers[i], .on_end = on_end, .on_end_ud = &ends[i]).loop);
        }
        run(100000);
        for (int i = 0; i < LARGE_CALLS; i++) if (ends[i].status != DBM_OK) fail_msg("%s: %s", types[type], ends[i].error.message);
        close_all();
    }
    free(large);
}

/* ---- one that is cancelled in the middle of others ------------------------------------------------------------------------------- */

/* The server is told to stop it, so that those behind it come soon; what it stops instead, when the word comes late, is done once all the same. */
enum { BESIDE = 8 };
typedef struct sleeper { int n, ms; bool commits; double s; dbm_row *row; dbm_status rc; } sleeper;
static dbm_task_status sleeps(dbm_task *t) {
    sleeper *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (x->commits) DBM_TRY_AWAIT(t, &x->rc, dbm_async_exec(db, "CALL adds(?, ?)", x->n, x->s)); /* what it has done by then can't be done again */
    else if (x->n >= 0) DBM_TRY_AWAIT(t, &x->rc, dbm_async_exec(db, "INSERT INTO unit SELECT ?, 'a' FROM pg_sleep(?)", x->n, x->s));
    else DBM_TRY_AWAIT_WITHIN(t, x->ms, &x->rc, dbm_async_query_one(db, &x->row, "SELECT 1 FROM pg_sleep(?)", x->s));
    DBM_TASK_END(t);
}
static void stops_one_of_many(void **state) {
    sleeper all[BESIDE];
    dbm_stats_info before, after;
    dbm_row *row;
    int n = 0;
    (void)state;
    type = POSTGRESQL;
    open_with(1, false);
    assert_ok(dbm_exec(db, "CREATE PROCEDURE adds(k integer, s double precision) LANGUAGE plpgsql AS 'BEGIN INSERT INTO unit VALUES (k, NULL); COMMIT; PERFORM pg_sleep(s); END'"));
    for (int round = 0; round < 160; round++) {
        long began = test_now_ms();
        memset(all, 0, sizeof all);
        for (int i = 0; i < BESIDE; i++) {
            bool slow = round > 0 && (i == 2 || (round % 3 == 0 && i == 5));
            all[i].n = slow ? -1 : n++;
            all[i].commits = i == 3 && round % 2 == 0;
            all[i].ms = round == 1 ? 100 : 1 + i / 2;
            all[i].s = slow ? round < 3 ? 20 : 0.0005 * (round % 8) : round > 3 ? 0.0003 * (round % 5) : 0;
            assert_non_null(dbm_spawn(loop, sleeps, &all[i]).loop);
        }
        run(30000);
        for (int i = 0; i < BESIDE; i++) {
            bool fine = all[i].rc == DBM_OK || (all[i].n < 0 && (all[i].rc == DBM_E_TIMEOUT || all[i].rc == DBM_E_CANCELLED));
            if (!fine || (all[i].s > 1 && all[i].rc == DBM_OK)) fail_msg("round %d: call %d: %s", round, i, dbm_status_name(all[i].rc));
        }
        if (test_now_ms() - began > 5000) fail_msg("round %d: %ld ms", round, test_now_ms() - began);
        if (round == 0) assert_int_equal(dbm_stats(db, &before), DBM_OK);
    }
    assert_int_equal(dbm_stats(db, &after), DBM_OK);
    assert_int_equal(after.connects, before.connects);
    assert_int_equal(after.in_doubt, before.in_doubt);
    assert_ok(dbm_query_one(db, &row, "SELECT COUNT(*) FROM unit"));
    assert_int_equal(dbm_row_int(row, 0), n);
    dbm_row_end(row);
    close_all();
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(tasks_share_connections), cmocka_unit_test(several_in_a_turn), cmocka_unit_test(each_is_committed_alone), cmocka_unit_test(each_tells_its_own_count),
        cmocka_unit_test(large_both_ways), cmocka_unit_test(stops_one_of_many) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
