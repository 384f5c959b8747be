/* What a callback may do: in each kind of it, everything is closed, the loop freed, its own session ended or cancelled, others cancelled and ended, and more begun. Whatever it
 * does, each call is told once, the connections go back, and nothing stays behind. By steps, in batches, on workers, and on SQLite. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"

/* The callbacks of one session in their order. */
enum { SESSION, EXEC, QUERY, ROW, ROW_TOO, ROWS_OUT, QUERY_AGAIN, ROW_AGAIN, ROWS_END, ONE, BULK, RUN, COMMIT, FAILS, ROLLBACK, EXEC_AGAIN, END, PLACES,
       ON_DATABASE = PLACES, BULK_ROW, POSTED, OF_OTHERS, ALL_PLACES };
static const char *const places[] = { "session", "exec", "query", "row", "row", "row, none", "query", "row", "rows_end", "query_one", "bulk", "run", "commit", "exec that fails", "rollback", "exec", "end",
    "exec on a database", "row of a bulk", "post", "exec of another session" };
enum { CLOSES, FREES, CLOSES_AND_FREES, ENDS_ITSELF, CANCELS_ITSELF, ROLLS_BACK, OTHERS, FREES_AND_ENDS, NESTS, BEGINS_MORE, ACTIONS };
static const char *const actions[] = { "closes all", "frees the loop", "closes all and frees the loop", "ends its session", "cancels itself", "rolls back", "ends others", "frees the loop and ends its session",
    "runs the loop", "begins more" };

typedef struct call { int place; bool begun, goes_on; int told; dbm_status status; } call;
enum { CALLS = 64 };
static call calls[CALLS];
static int call_count, act_at, action, acted, bulk_rows;
static bool freed;
static server *v, *v2;
static dbm_manager *mgr;
static dbm_database *db, *db2;
static dbm_loop *loop;
static test_heap heap;
static dbm_session s, other;
static dbm_rows *rows;
static dbm_row *row;
static dbm_task_handle sleeper;
static int sleeper_ended;
static const char *form;
static bool filed;

static void told(void *ud, dbm_status status);
static call *call_at(int place) {
    call *c = &calls[call_count++];
    CHECK(call_count <= CALLS);
    c->place = place;
    return c;
}
static bool begun(call *c, dbm_status st) {
    c->begun = st == DBM_OK;
    return c->begun;
}
static const char *writes(void) { return filed ? "INSERT INTO unit VALUES (NULL, 'x')" : "write"; }
static const char *reads(void) { return filed ? "SELECT 1 UNION SELECT 2" : "rows 2 x 1"; }

static void act(void) {
    dbm_session copy = s, of_other = other;
    if (acted++ != 0) return;
    switch (action) {
    case CLOSES: (void)dbm_close_all(mgr); break;
    case FREES_AND_ENDS: case FREES: case CLOSES_AND_FREES:
        if (action == CLOSES_AND_FREES) (void)dbm_close_all(mgr);
        dbm_loop_free(loop);
        freed = true;
        if (action != FREES_AND_ENDS) break;
        /* fall through */
    case ENDS_ITSELF: {
        call *c = call_at(END);
        (void)begun(c, dbm_async_end_cb(&s, told, c));
        break;
    }
    case CANCELS_ITSELF: if (copy.slot != NULL) (void)dbm_cancel(&copy);
        break;
    case ROLLS_BACK: {
        call *c = call_at(ROLLBACK);
        (void)begun(c, dbm_async_rollback_cb(&s, told, c));
        break;
    }
    case OTHERS:
        if (of_other.slot != NULL) {
            call *c = call_at(END);
            (void)dbm_cancel(&of_other);
            (void)begun(c, dbm_async_end_cb(&other, told, c));
        }
        CHECK_STATUS(dbm_task_cancel(sleeper), DBM_OK);
        break;
    case NESTS:
        CHECK_STATUS(dbm_loop_run(loop, 10), DBM_E_MISUSE);
        CHECK_STATUS(dbm_loop_step(loop, 10), DBM_E_MISUSE);
        dbm_loop_stop(loop);
        break;
    default:
        for (int i = 0; i < 3; i++) {
            call *c = call_at(ON_DATABASE);
            (void)begun(c, dbm_async_exec_cb(dbm_async_on(loop, i == 2 ? db2 : db), told, c, i == 2 ? "write b" : writes()));
        }
        break;
    }
}

static dbm_status bulk_row(void *ud, dbm_value *values) {
    (void)ud;
    if (bulk_rows++ == 1 && act_at == BULK_ROW) act();
    if (bulk_rows > 3) return DBM_DONE;
    values[0] = filed ? dbm_null() : dbm_int(bulk_rows);
    values[1] = dbm_text("in bulk");
    return DBM_OK;
}
static dbm_status runs(dbm_session *on, void *ud) {
    (void)ud;
    return dbm_exec(on, writes());
}

/* Begins the next one; false: it could not be. */
static bool next_at(int place) {
    call *c = call_at(place);
    c->goes_on = true;
    switch (place) {
    case SESSION: return begun(c, dbm_async_session_cb(loop, db, NULL, &s, told, c));
    case EXEC: case EXEC_AGAIN: return begun(c, dbm_async_exec_cb(&s, told, c, writes()));
    case QUERY: case QUERY_AGAIN: return begun(c, dbm_async_query_cb(&s, &rows, told, c, reads()));
    case ROW: case ROW_TOO: case ROWS_OUT: case ROW_AGAIN: return begun(c, dbm_async_next_cb(rows, &row, told, c));
    case ROWS_END: return begun(c, dbm_async_rows_end_cb(rows, told, c));
    case ONE: return begun(c, dbm_async_query_one_cb(&s, &row, told, c, reads()));
    case BULK: return begun(c, dbm_async_bulk_cb(&s, "unit", "n,t", NULL, bulk_row, told, c));
    case RUN: return begun(c, dbm_async_run_cb(&s, runs, NULL, told, c));
    case COMMIT: return begun(c, dbm_async_commit_cb(&s, told, c));
    case FAILS: return begun(c, dbm_async_exec_cb(&s, told, c, filed ? "INSERT INTO nowhere VALUES (1)" : "fail 23505"));
    case ROLLBACK: return begun(c, dbm_async_rollback_cb(&s, told, c));
    default: return begun(c, dbm_async_end_cb(&s, told, c));
    }
}
static void told(void *ud, dbm_status status) {
    call *c = (call *)ud;
    int place = c->place;
    CHECK(c->begun && c->told == 0);
    c->told++;
    c->status = status;
    CHECK(status == DBM_OK || status == dbm_last_error()->status);
    if (acted == 0 && place != OF_OTHERS) CHECK_STATUS(status, place != FAILS ? DBM_OK : filed ? DBM_E_SQL : DBM_E_CONSTRAINT);
    if (place == act_at) act();
    if (place >= END || freed || !c->goes_on) return;
    if (place + 1 == END && act_at == ON_DATABASE) return;
    if (!next_at(place + 1) && place + 1 != END && s.slot != NULL) (void)next_at(END);
}
static void on_post(void *ud) {
    (void)ud;
    act();
}
static dbm_task_status sleeps(dbm_task *t) {
    static dbm_session of_task;
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db2, &of_task));
    DBM_AWAIT(t, dbm_async_sleep(t, 60000));
    DBM_TASK_END(t);
}
static void sleeper_end(void *ud, dbm_status status, const dbm_error_info *error) {
    (void)ud;
    (void)error;
    CHECK(status != DBM_OK);
    sleeper_ended++;
}

static void open_all(void) {
    dbm_options options;
    dbm_config config;
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    memset(&heap, 0, sizeof heap);
    memset(calls, 0, sizeof calls);
    memset(&s, 0, sizeof s);
    memset(&other, 0, sizeof other);
    call_count = acted = bulk_rows = sleeper_ended = 0;
    freed = false;
    rows = NULL;
    row = NULL;
    options.allocator = test_heap_allocator(&heap);
    options.grace_ms = 5;
    config.pool.size = 2;
    mgr = server_manager(&options);
    v = server_make();
    v2 = server_make();
    v->bulk_window = 2;
    config.name = "other";
    db2 = server_add(mgr, v2, "stepped", &config);
    config.name = NULL;
    if (filed) {
        config.url = "sqlite:///:memory:";
        config.pool.size = 0;
        CHECK_STATUS(dbm_add_database(mgr, &config), DBM_OK);
        db = dbm_get(mgr, NULL);
        CHECK_STATUS(dbm_exec(db, "CREATE TABLE unit (n INTEGER PRIMARY KEY, t TEXT)"), DBM_OK);
    } else {
        db = server_add(mgr, v, form, &config);
    }
    CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
}

static void one(void) {
    call *c;
    dbm_status st = DBM_OK;
    int64_t until = real_us() + 20000000;
    open_all();
    c = call_at(OF_OTHERS); /* it hangs, and a task sleeps */
    (void)begun(c, dbm_async_session_cb(loop, db2, NULL, &other, NULL, NULL));
    sleeper = dbm_spawn_opt(loop, sleeps, NULL, .on_end = sleeper_end);
    while (other.slot == NULL || stats_of(db2).out < 2) (void)dbm_loop_step(loop, 10);
    c->begun = false;
    if (act_at != OF_OTHERS) (void)plan(v2, DBM_OP_EXECUTE, 1, DROP);
    CHECK(next_at(SESSION));
    if (act_at == POSTED) CHECK_STATUS(dbm_loop_post(loop, on_post, NULL), DBM_OK);
    if (act_at == ON_DATABASE) { /* beside the session */
        call *k = &calls[CALLS - 1];
        k->place = ON_DATABASE;
        CHECK(begun(k, dbm_async_exec_cb(dbm_async_on(loop, db), told, k, writes())));
    }
    {
        call *k = &calls[CALLS - 2];
        k->place = OF_OTHERS;
        CHECK(begun(k, dbm_async_exec_cb(&other, told, k, "write")));
    }
    while (!freed && st == DBM_OK && s.slot == NULL && calls[1].told == 0) st = dbm_loop_step(loop, 100);
    while (!freed) { /* until what waits for ever is all there is */
        bool waits = false;
        for (int i = 0; i < CALLS - 2; i++) waits = waits || (calls[i].begun && calls[i].told == 0);
        if (!waits) break;
        if (real_us() > until) fail_msg("%s, %s %s: not over", form, places[act_at], actions[action]);
        (void)dbm_loop_step(loop, 100);
    }
    if (!freed) dbm_loop_free(loop);
    for (int i = 0; i < CALLS; i++) if (calls[i].told != (calls[i].begun ? 1 : 0)) fail_msg("%s, %s %s: call %d (%s) was told %d times", form, places[act_at], actions[action], i, places[calls[i].place], calls[i].told);
    CHECK(sleeper_ended == 1);
    if (acted == 0) fail_msg("%s, %s %s: acted %d times", form, places[act_at], actions[action], acted);
    for (int i = 0; i < 2; i++) {
        dbm_stats_info n = stats_of(i == 0 ? db : db2);
        if (n.out != 0 || n.connecting != 0 || n.waiting != 0 || n.idle != n.open) fail_msg("%s, %s %s: %d out, %d connecting, %d waiting", form, places[act_at], actions[action], n.out, n.connecting, n.waiting);
    }
    if (!filed && (action == FREES || action == CLOSES_AND_FREES) && act_at < COMMIT) CHECK(v->commits == 0); /* it was rolled back */
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    CHECK(test_heap_live(&heap) == 0);
    CHECK(server_end_all() == 0);
}

static void in_each_callback(void **state) {
    static const char *const forms[] = { "stepped", "batched", "scripted", "filed" };
    (void)state;
    for (int i = 0; i < 4; i++) {
        form = forms[i];
        filed = i == 3;
        for (act_at = 0; act_at < ALL_PLACES; act_at++) for (action = 0; action < ACTIONS; action++) if (!filed || act_at != ON_DATABASE) one(); /* in memory there is one connection */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_each_callback) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
