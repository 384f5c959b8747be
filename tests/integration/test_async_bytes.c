/* Asynchronous sessions of PostgreSQL, MariaDB and Redis through a proxy that stops after the k-th byte of what the server says, for every k: then the task is
 * cancelled, late, its loop is freed, its connection is cut, its manager is closed, or nothing is done and the rest comes later. In the task form and in that of
 * callbacks. What the server has kept then is compared with what was said of it.
 * And a task at an await of every kind, cancelled, late, shut down and cut off at each. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "proxy.h"

enum { POSTGRESQL, MARIADB, REDIS };
static const char *const types[] = { "postgresql", "mysql", "redis" };
static int type;
static test_log logged;
static servers_database fresh;
static proxy relay;
static char relay_url[1024];
static dbm_manager *mgr, *direct; /* through the proxy; and not */
static dbm_database *db;
static dbm_loop *loop;

/* The clock is the machine's, until it is told to run: then each look at it takes a tenth of a second, so that limits pass while a server is silent. */
static int64_t ahead_us;
static int runs;
static int64_t a_clock(void *ud) {
    struct timespec t;
    (void)ud;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    if (__atomic_load_n(&runs, __ATOMIC_RELAXED)) (void)__atomic_add_fetch(&ahead_us, 100000, __ATOMIC_RELAXED);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 + __atomic_load_n(&ahead_us, __ATOMIC_RELAXED);
}
static void clock_runs(bool on) { __atomic_store_n(&runs, on ? 1 : 0, __ATOMIC_RELAXED); }
static void clock_jumps(int ms) { (void)__atomic_add_fetch(&ahead_us, (int64_t)ms * 1000, __ATOMIC_RELAXED); }

#define assert_ok(call) do { dbm_status ok_st = (call); \
    if (ok_st != DBM_OK) fail_msg("%s:%d: %s: %s: %s: %s", __FILE__, __LINE__, types[type], #call, dbm_status_name(ok_st), dbm_last_error()->message); } while (0)

static void open_manager(dbm_manager **out, const char *url, int connections, bool real_clock) {
    dbm_options options;
    dbm_config config;
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    options.log = test_log_hook;
    options.log_ud = &logged;
    options.no_env = true;
    options.grace_ms = 1000;
    if (!real_clock) options.clock = a_clock;
    config.url = url;
    config.pool.size = connections;
    config.pool.max_overflow = -1;
    config.pool.timeout_ms = 60000;
    assert_ok(dbm_manager_create(out, &options));
    assert_ok(dbm_add_database(*out, &config));
}
static void open_relayed(int connections) {
    open_manager(&mgr, relay_url, connections, false);
    assert_non_null(db = dbm_get(mgr, NULL));
    assert_ok(dbm_loop_create(&loop, mgr, NULL));
}
static void close_relayed(void) {
    dbm_loop_free(loop);
    loop = NULL;
    (void)dbm_close_all(mgr);
    dbm_manager_free(mgr);
    mgr = NULL;
}

/* postgresql://user:word@127.0.0.1:5432/name: the same with the proxy's port. */
static void begin_type(int which) {
    char port[32], *at;
    const char *host;
    type = which;
    test_log_clear(&logged);
    if (type == REDIS) (void)snprintf(fresh.url, sizeof fresh.url, "%s", servers_url("redis"));
    else servers_fresh(&fresh, types[type]);
    (void)snprintf(port, sizeof port, "DBM_TEST_%s_PORT", type == POSTGRESQL ? "POSTGRESQL" : type == MARIADB ? "MYSQL" : "REDIS");
    proxy_start(&relay, atoi(servers_variable(port)));
    host = strstr(fresh.url, "127.0.0.1:");
    assert_non_null(host);
    (void)snprintf(relay_url, sizeof relay_url, "%.*s127.0.0.1:%d", (int)(host - fresh.url), fresh.url, relay.port);
    at = strchr(host, '/');
    assert_non_null(at);
    (void)snprintf(relay_url + strlen(relay_url), sizeof relay_url - strlen(relay_url), "%s", at);
    open_manager(&direct, fresh.url, 2, true);
    if (type != REDIS) {
        assert_ok(dbm_exec(dbm_get(direct, NULL), "CREATE TABLE unit (k INTEGER, n INTEGER, PRIMARY KEY (k, n))"));
        assert_ok(dbm_exec(dbm_get(direct, NULL), "CREATE TABLE word (n INTEGER, t VARCHAR(40))"));
        for (int i = 0; i < 4; i++) assert_ok(dbm_exec(dbm_get(direct, NULL), "INSERT INTO word VALUES (?, ?)", i, i == 2 ? NULL : "a word"));
    }
}
static void end_type(void) {
    assert_ok(dbm_close_all(direct));
    dbm_manager_free(direct);
    proxy_stop(&relay);
    if (type != REDIS) servers_drop(&fresh);
}

/* ---- the conversation --------------------------------------------------------------------------------------------------------- */

/* at: what was begun last. 1: the session; 7: the commit; 9: the end. */
enum { COMMITS = 7, ENDS = 9, FAR_MS = 5000 };
typedef struct talk {
    dbm_session s;
    dbm_rows *rows;
    dbm_row *row;
    dbm_session_options options;
    int key, at, read, ends;
    dbm_status commit, end;
    char why[600];
    bool commits;
} talk;

static dbm_task_status sql_talk(dbm_task *t) {
    talk *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    x->at = 1;
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    x->at = 2;
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", x->key, 1));
    x->at = 3;
    DBM_AWAIT(t, dbm_async_query(&x->s, &x->rows, "SELECT n, t FROM word WHERE n < ? ORDER BY n", 3));
    x->at = 4;
    DBM_AWAIT_ROW(t, x->rows, x->row) {
        assert_int_equal(dbm_row_int(x->row, 0), x->read);
        if (x->read != 2) assert_string_equal(dbm_row_text(x->row, 1), "a word");
        x->read++;
    }
    x->at = 5;
    DBM_AWAIT(t, dbm_async_query_one(&x->s, &x->row, "SELECT t FROM word WHERE n = ?", 1));
    assert_string_equal(dbm_row_text(x->row, 0), "a word");
    x->at = 6;
    (void)dbm_async_exec(&x->s, "DELETE FROM unit WHERE k = ?", -1); /* unawaited */
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", x->key, 2));
    x->at = COMMITS;
    x->commits = true;
    DBM_TRY_AWAIT(t, &x->commit, dbm_async_commit(&x->s));
    if (x->commit != DBM_OK) return dbm_task_fail(t, x->commit);
    x->at = 8;
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", x->key, 3));
    x->at = ENDS;
    DBM_TASK_END(t);
}
static dbm_task_status redis_talk(dbm_task *t) {
    talk *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    x->at = 1;
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    x->at = 2;
    DBM_AWAIT(t, dbm_async_redis_command(&x->s, NULL, "RPUSH bytes:%d %d", x->key, 1));
    x->at = 3;
    DBM_AWAIT(t, dbm_async_redis_command(&x->s, &x->row, "LRANGE bytes:%d 0 -1", x->key));
    x->at = 4;
    assert_int_equal(dbm_row_int(x->row, 0), 1);
    DBM_AWAIT(t, dbm_async_redis_command(&x->s, NULL, "EXPIRE bytes:%d 600", x->key));
    x->at = 5;
    (void)dbm_async_redis_command(&x->s, NULL, "ECHO %s", "unawaited");
    DBM_AWAIT(t, dbm_async_redis_command(&x->s, NULL, "RPUSH bytes:%d %d", x->key, 2));
    x->at = ENDS;
    DBM_TASK_END(t);
}
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    talk *x = ud;
    x->ends++;
    x->end = status;
    (void)snprintf(x->why, sizeof x->why, "%.500s", error != NULL ? error->message : "");
}

/* The same by callbacks: `at` is what is under way. */
static bool shutting;
/* Nothing was begun: the loop is being freed, and may have ended the session already. */
static void talk_refused(talk *x) {
    dbm_status st = dbm_last_error()->status;
    x->ends++;
    if (x->end != DBM_OK) return;
    on_end(x, shutting && st == DBM_E_MISUSE ? DBM_E_CLOSED : st, dbm_last_error());
    x->ends--;
}
static void talk_on(void *ud, dbm_status st);
static void talk_end(talk *x) {
    x->at = ENDS;
    if (dbm_async_end_cb(&x->s, talk_on, x) != DBM_OK) talk_refused(x);
}
static void talk_on(void *ud, dbm_status st) {
    talk *x = ud;
    if (x->at == COMMITS) {
        x->commits = true;
        x->commit = st;
    }
    if (st != DBM_OK && x->end == DBM_OK) {
        on_end(x, st, dbm_last_error());
        x->ends--;
    }
    if (x->at == ENDS || (x->at == 1 && st != DBM_OK)) {
        x->ends++;
        return;
    }
    if (st != DBM_OK) {
        talk_end(x);
        return;
    }
    st = DBM_OK;
    if (type == REDIS) {
        switch (x->at++) {
        case 1: st = dbm_async_redis_command_cb(&x->s, NULL, talk_on, x, "RPUSH bytes:%d %d", x->key, 1); break;
        case 2: st = dbm_async_redis_command_cb(&x->s, &x->row, talk_on, x, "LRANGE bytes:%d 0 -1", x->key); break;
        case 3: st = dbm_async_redis_command_cb(&x->s, NULL, talk_on, x, "EXPIRE bytes:%d 600", x->key); break;
        case 4:
            (void)dbm_async_redis_command_cb(&x->s, NULL, NULL, NULL, "ECHO %s", "unawaited");
            st = dbm_async_redis_command_cb(&x->s, NULL, talk_on, x, "RPUSH bytes:%d %d", x->key, 2);
            break;
        default: talk_end(x); return;
        }
    } else {
        switch (x->at++) {
        case 1: st = dbm_async_exec_cb(&x->s, talk_on, x, "INSERT INTO unit VALUES (?, ?)", x->key, 1); break;
        case 2: st = dbm_async_query_cb(&x->s, &x->rows, talk_on, x, "SELECT n, t FROM word WHERE n < ? ORDER BY n", 3); break;
        case 3: st = dbm_async_next_cb(x->rows, &x->row, talk_on, x); break;
        case 4:
            if (x->row != NULL) {
                assert_int_equal(dbm_row_int(x->row, 0), x->read);
                x->read++;
                x->at--;
                st = dbm_async_next_cb(x->rows, &x->row, talk_on, x);
            } else {
                st = dbm_async_query_one_cb(&x->s, &x->row, talk_on, x, "SELECT t FROM word WHERE n = ?", 1);
            }
            break;
        case 5:
            assert_string_equal(dbm_row_text(x->row, 0), "a word");
            (void)dbm_async_exec_cb(&x->s, NULL, NULL, "DELETE FROM unit WHERE k = ?", -1);
            st = dbm_async_exec_cb(&x->s, talk_on, x, "INSERT INTO unit VALUES (?, ?)", x->key, 2);
            break;
        case 6: st = dbm_async_commit_cb(&x->s, talk_on, x); break;
        case 7: st = dbm_async_exec_cb(&x->s, talk_on, x, "INSERT INTO unit VALUES (?, ?)", x->key, 3); break;
        default: talk_end(x); return;
        }
    }
    if (st != DBM_OK) talk_refused(x);
}

/* ---- what is done at byte k ------------------------------------------------------------------------------------------------------ */

enum { CANCEL, CANCEL_ANSWERED, LATE, LATE_ANSWERED, SHUT, SHUT_ANSWERED, CUT, CLOSE, SILENCE, ACTIONS };
static const char *const actions[] = { "cancelled", "cancelled, and answered", "late", "late, and answered", "the loop freed", "the loop freed, and answered", "cut off",
                                       "the manager closed", "silence" };

/* What each may end with, beside DBM_OK where it was done already; IN_DOUBT is looked at apart. */
static bool may_end(int action, const talk *x, dbm_status st) {
    switch (action) {
    case CANCEL: case CANCEL_ANSWERED: return st == DBM_OK || st == DBM_E_CANCELLED;
    case LATE: case LATE_ANSWERED: return st == DBM_OK || st == DBM_E_TIMEOUT;
    case SHUT: case SHUT_ANSWERED: return st == DBM_OK || st == DBM_E_CLOSED || st == DBM_E_CANCELLED;
    case CUT: return st == DBM_OK || st == DBM_E_LOST || (x->at == 1 && st == DBM_E_CONNECT);
    case CLOSE: return st == DBM_OK || st == DBM_E_CLOSED;
    default: return st == DBM_OK;
    }
}

typedef struct kept { int key, action, at; long k; bool task, commits; dbm_status commit, end; } kept;
static kept *all;
static int all_count, all_room, serial, base; /* base: keys of this program, on the Redis of all */
static int statuses[ACTIONS][64], answered, answered_late;

static const char *where(const talk *x, int action, long k, bool task) {
    static char text[1000];
    (void)snprintf(text, sizeof text, "%s, %s, %s, byte %ld, step %d, ended %d times with %s: %s", types[type], task ? "a task" : "callbacks", actions[action], k, x->at, x->ends,
                   dbm_status_name(x->end), x->why);
    return text;
}

static void look(void) {
    dbm_stats_info s;
    assert_ok(dbm_stats(db, &s));
    if (s.idle < 0 || s.out < 0 || s.connecting < 0 || s.open < s.idle || s.open > s.idle + s.out || s.idle + s.out + s.connecting > 1) {
        fail_msg("%s: %d open, %d idle, %d out, %d connecting", types[type], s.open, s.idle, s.out, s.connecting);
    }
}

/* False: the conversation was over before the k-th byte. `warm`: the connection is there already. */
static bool one(int action, long k, bool task, bool warm) {
    static talk talks[2]; /* not on the stack: a defect shows as what it is */
    talk *x = &talks[serial & 1];
    dbm_task_handle h;
    bool reached, ended_before;
    long began = test_now_ms();
    int turns;
    if (mgr == NULL) open_relayed(1);
    if (warm) {
        int tries = 0; /* the last one's may have been cut so recently that nobody has looked */
        while (tries < 3 && (type == REDIS ? dbm_redis_command(db, "PING") : dbm_exec(db, "SELECT 1")) != DBM_OK) tries++;
        if (tries == 3) fail_msg("%s: %s", types[type], dbm_last_error()->message);
    }
    memset(x, 0, sizeof *x);
    memset(&h, 0, sizeof h);
    x->key = base + ++serial;
    proxy_hold(&relay, k);
    if (task) {
        h = dbm_spawn_opt(loop, type == REDIS ? redis_talk : sql_talk, x, .on_end = on_end, .on_end_ud = x,
                          .deadline_ms = action == LATE || action == LATE_ANSWERED ? FAR_MS : 0);
        assert_non_null(h.loop);
    } else {
        x->at = 1;
        if (action == LATE || action == LATE_ANSWERED) x->options.timeout_ms = FAR_MS;
        assert_ok(dbm_async_session_cb(loop, db, &x->options, &x->s, talk_on, x));
    }
    for (turns = 0; !proxy_held(&relay) && x->ends == 0; turns++) {
        if (turns == 20000) fail_msg("it does not come to byte %ld: %s", k, where(x, action, k, task));
        (void)dbm_loop_step(loop, 1);
        look();
    }
    reached = proxy_held(&relay);
    for (turns = 0; turns < 3; turns++) (void)dbm_loop_step(loop, 0); /* those bytes are heard */
    ended_before = x->ends != 0;
    switch (action) {
    case CANCEL: case CANCEL_ANSWERED:
        if (task) assert_ok(dbm_task_cancel(h));
        else if (x->at != 1) (void)dbm_cancel(&x->s);
        else action = SILENCE; /* there is nothing to cancel yet */
        break;
    case LATE: case LATE_ANSWERED: clock_jumps(FAR_MS + 1); break;
    case CUT: proxy_hang_up(&relay); break;
    case CLOSE:
        clock_runs(true);
        (void)dbm_close_all(mgr);
        clock_runs(false);
        break;
    case SILENCE:
        clock_jumps(3000);
        for (turns = 0; turns < 3; turns++) (void)dbm_loop_step(loop, 1);
        break;
    default: break;
    }
    if (action == SHUT || action == SHUT_ANSWERED) {
        if (action == SHUT_ANSWERED) proxy_release(&relay);
        else clock_runs(true);
        shutting = true;
        dbm_loop_free(loop);
        shutting = false;
        loop = NULL;
        if (!task && x->ends == 0 && x->at != 1) x->ends = 1; /* it was given back; nobody asked to be told */
    } else {
        if (action == CANCEL_ANSWERED || action == LATE_ANSWERED) {
            for (turns = 0; turns < 3; turns++) (void)dbm_loop_step(loop, 0);
            look();
        }
        if ((action != CANCEL && action != LATE) || x->at == ENDS) proxy_release(&relay); /* the end of a session is not disturbed */
        else clock_runs(true);
        began = test_now_ms();
        for (turns = 0; dbm_loop_step(loop, 1) == DBM_OK; turns++) {
            if (turns == 20000) fail_msg("it does not end: %s", where(x, action, k, task));
            if (action != CLOSE) look();
        }
    }
    if (task && (action == CANCEL_ANSWERED || action == LATE_ANSWERED)) {
        answered++;
        answered_late += test_now_ms() - began > 250;
    }
    clock_runs(false);
    proxy_release(&relay);
    if (x->ends != 1) fail_msg("%s", where(x, action, k, task));
    if (x->end == DBM_E_IN_DOUBT ? !(x->at == COMMITS || x->at == ENDS || (type == REDIS && x->at > 1)) : !may_end(action, x, x->end)) fail_msg("%s", where(x, action, k, task));
    if (ended_before && action != CLOSE && x->end != DBM_OK) fail_msg("%s", where(x, action, k, task));
    statuses[action][x->end]++;
    if (all_count == all_room) {
        all_room = all_room > 0 ? 2 * all_room : 1024;
        all = realloc(all, (size_t)all_room * sizeof *all);
        assert_non_null(all);
    }
    all[all_count].key = x->key - base;
    all[all_count].action = action;
    all[all_count].at = x->at;
    all[all_count].k = k;
    all[all_count].task = task;
    all[all_count].commits = x->commits;
    all[all_count].commit = x->commit;
    all[all_count++].end = x->end;
    if (action == CLOSE) {
        close_relayed();
    } else {
        dbm_stats_info s;
        assert_ok(dbm_stats(db, &s));
        if (s.out != 0 || s.connecting != 0 || s.waiting != 0 || s.idle != s.open) {
            fail_msg("%d out, %d connecting, %d waiting, %d idle of %d: %s", s.out, s.connecting, s.waiting, s.idle, s.open, where(x, action, k, task));
        }
        if (!warm) close_relayed();
        else if (loop == NULL) assert_ok(dbm_loop_create(&loop, mgr, NULL));
    }
    return reached;
}

/* What the server has of each, and what was said of it. */
static void compare(void) {
    static int rows_of[1 << 20];
    dbm_database *there = dbm_get(direct, NULL);
    test_pause_ms(300); /* what is in doubt may still be done */
    memset(rows_of, 0, sizeof rows_of);
    assert_true(serial < (1 << 20));
    if (type == REDIS) {
        for (int i = 0; i < all_count; i++) {
            dbm_row *row;
            if (all[i].end != DBM_OK) continue;
            assert_ok(dbm_redis_query_one(there, &row, "LLEN bytes:%d", base + all[i].key));
            rows_of[all[i].key] = (int)dbm_row_int(row, 0);
            dbm_row_end(row);
        }
    } else {
        dbm_status rc;
        DBM_SESSION_RC(direct, NULL, s, &rc) DBM_EACH(s, row, "SELECT k, COUNT(*), MAX(n) FROM unit GROUP BY k") {
            assert_int_equal(dbm_row_int(row, 1), dbm_row_int(row, 2)); /* 1, 2 without 1, never */
            rows_of[dbm_row_int(row, 0) - base] = (int)dbm_row_int(row, 1);
        }
        assert_ok(rc);
    }
    for (int i = 0; i < all_count; i++) {
        const kept *r = &all[i];
        int n = rows_of[r->key];
        bool right;
        if (type == REDIS) right = r->end != DBM_OK || n == 2;
        else if (r->end == DBM_OK) right = n == 3;
        else if (!r->commits) right = n == 0;
        else if (r->commit == DBM_OK) right = n == 2 || (r->end == DBM_E_IN_DOUBT && n == 3);
        else right = n == 0 || (r->commit == DBM_E_IN_DOUBT && n == 2);
        if (!right) {
            fail_msg("%s, %s, %s, byte %ld, step %d: the commit said %s, the end %s, and there are %d rows", types[type], r->task ? "a task" : "callbacks", actions[r->action],
                     r->k, r->at, r->commits ? dbm_status_name(r->commit) : "nothing", dbm_status_name(r->end), n);
        }
    }
    all_count = 0;
}

/* What costs a new connection each time shares the bytes: each byte is one of these combinations'. DBM_TEST_BYTES=1: each is every one's, as it is of all else;
 * a larger number: one in so many. */
static void bytes(int which, bool all_bytes) {
    enum { SHARERS = 8 };
    const char *asked = getenv("DBM_TEST_BYTES");
    long each = asked != NULL ? strtol(asked, NULL, 10) : all_bytes ? 1 : 0, fast = SANITIZED ? 3 : 1, whole = 0;
    begin_type(which);
    base = (int)getpid() % 2000 * 1000000;
    answered = answered_late = 0;
    memset(statuses, 0, sizeof statuses);
    for (int cold = 0; cold < 2; cold++) {
        long runs_made = 0, began = test_now_ms();
        int sharer = 0;
        for (int form = 0; form < 2; form++) for (int action = 0; action < ACTIONS; action++) {
            bool shares = action == CANCEL || action == LATE || action == SHUT || action == CUT, waits = form == 1 && (action == CANCEL || action == CANCEL_ANSWERED);
            long k = 0, step = each > 0 ? each : cold ? 8 * SHARERS : shares ? SHARERS : action == CLOSE ? 8 : fast;
            if (each == 0 && shares) k = sharer * (cold ? SHARERS : 1);
            if (waits && type != REDIS) step = 16 * SHARERS; /* dbm_cancel waits for the server's answer, half a second when it is held back */
            sharer += shares;
            for (; one(action, k, form == 0, !cold); k += step) runs_made++;
            if (whole < k) whole = k;
        }
        printf("%s: %ld conversations cut short, %s, of up to %ld bytes, in %ld ms\n", types[type], runs_made, cold ? "from the connect on" : "from the session's begin on",
               whole, test_now_ms() - began);
        if (mgr != NULL) close_relayed();
    }
    if (each > 0) printf("%s: one byte in %ld, for all\n", types[type], each);
    else printf("%s: one byte in %ld, of those of the connect one in 8; each shared by %d where the connection is lost\n", types[type], fast, SHARERS);
    for (int action = 0; action < ACTIONS; action++) {
        printf("%s: %s:", types[type], actions[action]);
        for (int st = 0; st < 64; st++) if (statuses[action][st] != 0) printf(" %s %d", dbm_status_name((dbm_status)st), statuses[action][st]);
        printf("\n");
    }
    /* An answer that comes is heard when it comes, and so is the end of a cancel, whatever number its descriptor has. */
    if (answered_late > answered / 5 + 1) fail_msg("%s: %d of %d that were cancelled, and answered, took longer than 250 ms", types[type], answered_late, answered);
    compare();
    end_type();
}
static void bytes_of_postgresql(void **state) { (void)state; bytes(POSTGRESQL, false); }
static void bytes_of_mariadb(void **state) { (void)state; bytes(MARIADB, false); }
static void bytes_of_redis(void **state) { (void)state; bytes(REDIS, true); }

/* ---- every kind of await ------------------------------------------------------------------------------------------------------------ */

/* The number of each await, and what it is that waits there. */
enum { AT_SESSION = 1, AT_EXEC, AT_QUERY, AT_NEXT, AT_ROWS_END, AT_ONE, AT_SLEEP, AT_CHILD, AT_ALL, AT_CALL, AT_RUN, AT_YIELD, AT_HEARD, AT_ROLLBACK, AT_AGAIN, AT_COMMIT,
       AT_AFTER, AT_END, AT_CLEAN_UP, AWAITS };
typedef struct tour {
    dbm_session s;
    dbm_rows *rows;
    dbm_row *row;
    dbm_listener *listener;
    dbm_heard heard;
    dbm_task_handle h;
    int at, stop, action, ends, cleaned;
    bool held, shut;
    dbm_status end;
    char why[600];
} tour;

/* Just before await n: what comes, comes while it waits. */
static void passes(dbm_task *t, tour *x, int n) {
    x->at = n;
    if (x->stop != n) return;
    if (x->held) {
        proxy_hold(&relay, 0);
        clock_runs(true);
    }
    switch (x->action) {
    case CANCEL: assert_ok(dbm_task_cancel(x->h)); break;
    case LATE:
        assert_ok(dbm_task_deadline(t, 1));
        clock_jumps(2);
        break;
    case SHUT:
        x->shut = true;
        dbm_loop_free(dbm_task_loop(t));
        break;
    default: proxy_hang_up(&relay); break;
    }
}
static dbm_status on_a_worker(void *ud) {
    (void)ud;
    test_pause_ms(5);
    return DBM_OK;
}
static dbm_status with_the_session(dbm_session *s, void *ud) {
    dbm_row *row;
    (void)ud;
    return dbm_query_one(s, &row, "SELECT t FROM word WHERE n = ?", 1);
}
static dbm_task_status small_child(dbm_task *t) {
    tour *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_sleep(t, 1));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "DELETE FROM unit WHERE k = ?", -2)); /* with its parent's session */
    DBM_TASK_END(t);
}
static dbm_task_status sleeping_child(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_sleep(t, 2));
    DBM_TASK_END(t);
}
static dbm_task_status tours(dbm_task *t) {
    tour *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    passes(t, x, AT_SESSION);
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    passes(t, x, AT_EXEC);
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", serial, 1));
    passes(t, x, AT_QUERY);
    DBM_AWAIT(t, dbm_async_query(&x->s, &x->rows, "SELECT n, t FROM word WHERE n < ? ORDER BY n", 3));
    passes(t, x, AT_NEXT);
    DBM_AWAIT(t, dbm_async_next(x->rows, &x->row));
    assert_int_equal(dbm_row_int(x->row, 0), 0);
    passes(t, x, AT_ROWS_END);
    DBM_AWAIT(t, dbm_async_rows_end(x->rows));
    passes(t, x, AT_ONE);
    DBM_AWAIT(t, dbm_async_query_one(&x->s, &x->row, "SELECT t FROM word WHERE n = ?", 1));
    assert_string_equal(dbm_row_text(x->row, 0), "a word");
    passes(t, x, AT_SLEEP);
    DBM_AWAIT(t, dbm_async_sleep(t, 2));
    passes(t, x, AT_CHILD);
    DBM_AWAIT(t, dbm_async_task(t, small_child, x));
    (void)dbm_async_task(t, small_child, x);
    (void)dbm_async_task(t, sleeping_child, x);
    passes(t, x, AT_ALL);
    DBM_AWAIT(t, dbm_async_all(t));
    passes(t, x, AT_CALL);
    DBM_AWAIT(t, dbm_async_call(t, on_a_worker, x));
    passes(t, x, AT_RUN);
    DBM_AWAIT(t, dbm_async_run(&x->s, with_the_session, x));
    passes(t, x, AT_YIELD);
    DBM_AWAIT(t, dbm_async_yield(t));
    passes(t, x, AT_HEARD);
    if (type == POSTGRESQL) DBM_AWAIT(t, dbm_async_heard(t, x->listener, &x->heard));
    passes(t, x, AT_ROLLBACK);
    DBM_AWAIT(t, dbm_async_rollback(&x->s));
    passes(t, x, AT_AGAIN);
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", serial, 2));
    passes(t, x, AT_COMMIT);
    DBM_AWAIT(t, dbm_async_commit(&x->s));
    passes(t, x, AT_AFTER);
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", serial, 3));
    passes(t, x, AT_END);
    DBM_AWAIT(t, dbm_async_end(&x->s));
    x->at = AT_CLEAN_UP;
    DBM_TASK_FINALLY(t);
    x->cleaned++;
    if (x->stop == AT_CLEAN_UP) passes(t, x, AT_CLEAN_UP);
    DBM_AWAIT(t, dbm_async_sleep(t, 1));
    DBM_TASK_END(t);
}
static void tour_ended(void *ud, dbm_status status, const dbm_error_info *error) {
    tour *x = ud;
    x->ends++;
    x->end = status;
    (void)snprintf(x->why, sizeof x->why, "%.500s", error != NULL ? error->message : "");
}
static bool tour_may(const tour *x) {
    /* Behind the last await that surely takes a turn, the rest may be over before the loop hears of a cancel: where the server answers at once. */
    if (x->end == DBM_OK) return x->action == CUT || x->stop >= AT_COMMIT || (x->stop >= AT_YIELD && !x->held);
    if (x->end == DBM_E_IN_DOUBT) return x->stop == AT_COMMIT || x->stop >= AT_AFTER;
    switch (x->action) {
    case CANCEL: return x->end == DBM_E_CANCELLED;
    case LATE: return x->end == DBM_E_TIMEOUT;
    case SHUT: return x->end == DBM_E_CLOSED || x->end == DBM_E_CANCELLED;
    default: return x->end == DBM_E_LOST || x->end == DBM_E_CONNECT;
    }
}

static void tour_with(int stop, int action, bool held) {
    tour *x = calloc(1, sizeof *x);
    dbm_session blocker;
    dbm_stats_info stats;
    long began;
    blocker.slot = NULL;
    serial++;
    x->stop = stop;
    x->action = action;
    x->held = held;
    if (loop == NULL) assert_ok(dbm_loop_create(&loop, mgr, NULL));
    if (stop == AT_SESSION) assert_ok(dbm_session_begin(db, NULL, &blocker)); /* the pool is empty */
    else if (type == POSTGRESQL) assert_ok(dbm_exec(db, "SELECT 1"));
    if (type == POSTGRESQL) {
        assert_ok(dbm_listen(loop, db, NULL, NULL, &x->listener));
        assert_ok(dbm_listen_to(x->listener, DBM_LISTEN_CHANNEL, "tour"));
    }
    x->h = dbm_spawn_opt(loop, tours, x, .on_end = tour_ended, .on_end_ud = x);
    assert_non_null(x->h.loop);
    began = test_now_ms();
    while (x->ends == 0) {
        if (test_now_ms() - began > 30000) fail_msg("%s, await %d (at %d), %s%s: it does not end", types[type], stop, x->at, actions[action], held ? ", a silent server" : "");
        if (action == CUT && stop == AT_SESSION && x->at == AT_SESSION && blocker.slot != NULL) (void)dbm_session_end(&blocker);
        if (dbm_loop_step(loop, 1) == DBM_E_CLOSED) break;
    }
    began = test_now_ms() - began;
    clock_runs(false);
    proxy_release(&relay);
    if (x->shut) loop = NULL;
    else dbm_listen_end(x->listener);
    if (blocker.slot != NULL) (void)dbm_session_end(&blocker);
    if (x->ends != 1 || x->cleaned != 1 || !tour_may(x)) {
        fail_msg("%s, await %d (at %d), %s%s: ended %d times, cleaned up %d times, with %s: %s", types[type], stop, x->at, actions[action], held ? ", a silent server" : "", x->ends,
                 x->cleaned, dbm_status_name(x->end), x->why);
    }
    if (loop != NULL) (void)dbm_loop_run(loop, 2000);
    assert_ok(dbm_stats(db, &stats));
    if (stats.out != 0 || stats.connecting != 0 || stats.waiting != 0 || stats.idle != stats.open) {
        fail_msg("%s, await %d, %s: %d out, %d connecting, %d waiting, %d idle of %d", types[type], stop, actions[action], stats.out, stats.connecting, stats.waiting, stats.idle, stats.open);
    }
    free(x);
}

static void every_await(void **state) {
    static const int some[] = { CANCEL, LATE, SHUT, CUT };
    (void)state;
    for (int which = POSTGRESQL; which <= MARIADB; which++) {
        begin_type(which);
        open_relayed(1);
        serial = 0;
        for (int action = 0; action < 4; action++) for (int stop = 1; stop < AWAITS; stop++) for (int held = 0; held < (some[action] == CUT ? 1 : 2); held++) {
            tour_with(stop, some[action], held == 1);
        }
        close_relayed();
        end_type();
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(bytes_of_redis), cmocka_unit_test(bytes_of_mariadb), cmocka_unit_test(bytes_of_postgresql), cmocka_unit_test(every_await) };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
