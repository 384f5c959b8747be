/* What a callback may do: in each kind of it, everything is closed, the loop or the manager freed, its own session ended or cancelled, its listener ended, others cancelled and ended,
 * and more begun. Whatever it does, each call is told once, the connections go back, and nothing stays behind. By steps, in batches, on workers, on SQLite, and
 * with the loop as part of another one. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"
#include <poll.h>

/* The callbacks of one session in their order. */
enum { SESSION, EXEC, QUERY, ROW, ROW_TOO, ROWS_OUT, QUERY_AGAIN, ROW_AGAIN, ROWS_END, ONE, BULK, RUN, COMMIT, FAILS, ROLLBACK, EXEC_AGAIN, END, PLACES,
       ON_DATABASE = PLACES, BULK_ROW, POSTED, OF_OTHERS, ALL_PLACES,
       /* and of others than the session's: a listener, a task, and what runs on a worker */
       HEARD_READY = ALL_PLACES, HEARD_MESSAGE, HEARD_GAP, LOOP_END, HEARD_BY_TASK, TASK_BODY, TASK_FINALLY, TASK_END, ON_WORKERS, IN_RUN = ON_WORKERS, IN_CALL, PLACES_ELSEWHERE };
static const char *const places[] = { "session", "exec", "query", "row", "row", "row, none", "query", "row", "rows_end", "query_one", "bulk", "run", "commit", "exec that fails", "rollback", "exec", "end",
    "exec on a database", "row of a bulk", "post", "exec of another session",
    "listener, ready", "listener, message", "listener, gap", "a task's end that the loop's is", "task that hears", "task", "task's clean-up", "task's on_end", "run, on a worker", "call, on a worker" };
enum { CLOSES, FREES, CLOSES_AND_FREES, ENDS_ITSELF, CANCELS_ITSELF, ROLLS_BACK, OTHERS, FREES_AND_ENDS, NESTS, BEGINS_MORE, FREES_MANAGER, FREES_MANAGER_FIRST, FREES_LOOP_FIRST, ACTIONS,
       UNLISTENS = ACTIONS, LISTENS_ANEW, CHANGES_CHANNELS, UNLISTENS_AND_FREES, FREES_AND_UNLISTENS, ALL_ACTIONS };
static const char *const actions[] = { "closes all", "frees the loop", "closes all and frees the loop", "ends its session", "cancels itself", "rolls back", "ends others", "frees the loop and ends its session",
    "runs the loop", "begins more", "frees the manager", "frees the manager and the loop", "frees the loop and the manager", "ends its listener", "ends it and begins another",
    "changes its channels", "ends it and frees the loop", "frees the loop and ends it" };

typedef struct call { int place; bool begun, goes_on; int told; dbm_status status; } call;
enum { CALLS = 64 };
static call calls[CALLS];
static int call_count, act_at, action, acted, bulk_rows;
static bool freed, manager_freed;
static server *v, *v2, *v3;
static dbm_manager *mgr;
static dbm_database *db, *db2, *db3;
static dbm_loop *loop;
static test_heap heap;
static dbm_session s, other;
static dbm_rows *rows;
static dbm_row *row;
static dbm_task_handle sleeper;
static int sleeper_ended;
static const char *form;
static bool filed, named; /* named: the listener's host is, so a worker connects */
static dbm_listener *listener;
static int heard_told, generation; /* of the listener: a call of an older one is a fault */
static int task_ended;

static int has_acted(void) { return __atomic_load_n(&acted, __ATOMIC_SEQ_CST); }
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

/* ---- a listener ---- */

static dbm_notification *note; /* in memory of the connection's */
static dbm_step hears(dbm_connection *c, dbm_op *op) {
    link_t *l = (link_t *)dbm_adapter_data(c);
    char byte = 'h';
    if (op->kind != DBM_OP_LISTEN && op->kind != DBM_OP_NOTIFIED) return on_step(c, op);
    op->fd = l->fd[0];
    if (op->kind == DBM_OP_LISTEN && l->phase == PHASE_BEGIN) { /* it waits for the server */
        l->phase = PHASE_READ;
        CHECK(send(l->fd[1], &byte, 1, MSG_NOSIGNAL) == 1);
        return DBM_STEP_READ;
    }
    ssize_t n = read(l->fd[0], &byte, 1);
    if (n < 0) return DBM_STEP_READ;
    op->status = n == 0 ? link_lost(c, l) : DBM_OK;
    if (note == NULL) note = (dbm_notification *)calloc(1, sizeof *note);
    CHECK(note != NULL);
    note->channel = dbm_text("news");
    op->native = note;
    return DBM_STEP_DONE;
}
static void hears_no_more(dbm_connection *c, dbm_disconnect how) {
    free(note);
    note = NULL;
    on_disconnect(c, how);
}
static void publishes(void) {
    for (int i = 0; i < (int)(sizeof v3->links / sizeof v3->links[0]); i++)
        if (v3->links[i] != NULL) CHECK(send(v3->links[i]->fd[1], "m", 1, MSG_NOSIGNAL) == 1);
}
static void act(void);
static void on_heard(void *ud, const dbm_heard *heard) {
    int at = heard->kind == DBM_HEARD_READY ? HEARD_READY : heard->kind == DBM_HEARD_MESSAGE ? HEARD_MESSAGE : HEARD_GAP;
    CHECK((int)(intptr_t)ud == generation && listener != NULL && !freed);
    heard_told++;
    if (heard->kind == DBM_HEARD_GAP) CHECK(heard->status != DBM_OK && heard->status == dbm_last_error()->status);
    if (at == act_at) {
        act();
        if (heard->kind == DBM_HEARD_MESSAGE) CHECK(heard->message == note && strcmp(heard->message->channel.as.text.data, "news") == 0); /* though it may have ended */
    } else if (has_acted() == 0 && heard->kind == DBM_HEARD_READY) publishes();
    else if (has_acted() == 0 && heard->kind == DBM_HEARD_MESSAGE) server_kill(v3, 0);
}
static void listens(void) {
    CHECK_STATUS(dbm_listen(loop, db3, on_heard, (void *)(intptr_t)generation, &listener), DBM_OK);
    CHECK_STATUS(dbm_listen_to(listener, DBM_LISTEN_CHANNEL, "news"), DBM_OK);
}
static void unlistens(void) {
    dbm_listen_end(listener);
    dbm_listen_end(listener); /* of one that has ended, in its own callback */
    CHECK_STATUS(dbm_listen_to(listener, DBM_LISTEN_CHANNEL, "more"), DBM_E_MISUSE);
    CHECK_STATUS(dbm_listen_no_more(listener, DBM_LISTEN_CHANNEL, "news"), DBM_E_MISUSE);
    listener = NULL;
    generation++;
}

static void act(void) {
    dbm_session copy = s, of_other = other;
    if (__atomic_fetch_add(&acted, 1, __ATOMIC_SEQ_CST) != 0) return;
    switch (action) {
    case CLOSES: CHECK_STATUS(dbm_close_all(mgr), DBM_OK); break; /* what is out comes back: it is the loop's */
    case FREES_MANAGER:
        manager_freed = true;
        dbm_manager_free(mgr);
        break;
    case FREES_AND_ENDS: case FREES: case CLOSES_AND_FREES: case FREES_MANAGER_FIRST: case FREES_LOOP_FIRST:
        if (action == CLOSES_AND_FREES) CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
        manager_freed = action == FREES_MANAGER_FIRST || action == FREES_LOOP_FIRST;
        if (action == FREES_MANAGER_FIRST) dbm_manager_free(mgr);
        dbm_loop_free(loop);
        freed = true;
        if (action == FREES_LOOP_FIRST) dbm_manager_free(mgr);
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
    case UNLISTENS: unlistens(); break;
    case LISTENS_ANEW:
        unlistens();
        listens();
        break;
    case CHANGES_CHANNELS:
        CHECK_STATUS(dbm_listen_no_more(listener, DBM_LISTEN_CHANNEL, "news"), act_at == LOOP_END ? DBM_E_MISUSE : DBM_OK);
        CHECK_STATUS(dbm_listen_to(listener, DBM_LISTEN_CHANNEL, "olds"), act_at == LOOP_END ? DBM_E_MISUSE : DBM_OK);
        break;
    case UNLISTENS_AND_FREES: case FREES_AND_UNLISTENS:
        if (action == UNLISTENS_AND_FREES) unlistens();
        dbm_loop_free(loop);
        freed = true;
        if (action == FREES_AND_UNLISTENS) unlistens();
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
    if (has_acted() == 0 && place != OF_OTHERS) CHECK_STATUS(status, place != FAILS ? DBM_OK : filed ? DBM_E_SQL : DBM_E_CONSTRAINT);
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
/* Whose session is `s`, in the place of the callbacks. */
static dbm_status acts(void *ud) {
    (void)ud;
    act();
    return DBM_OK;
}
static dbm_status runs_and_acts(dbm_session *on, void *ud) {
    act();
    return runs(on, ud);
}
static dbm_task_status works(dbm_task *t) {
    static dbm_heard heard;
    static dbm_status rc;
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &s));
    DBM_AWAIT(t, dbm_async_exec(&s, writes()));
    if (act_at == HEARD_BY_TASK) {
        CHECK_STATUS(dbm_listen(loop, db3, NULL, NULL, &listener), DBM_OK);
        CHECK_STATUS(dbm_listen_to(listener, DBM_LISTEN_CHANNEL, "news"), DBM_OK);
        DBM_AWAIT(t, dbm_async_heard(t, listener, &heard));
        CHECK(heard.kind == DBM_HEARD_READY);
        publishes();
        DBM_AWAIT(t, dbm_async_heard(t, listener, &heard));
        CHECK(heard.kind == DBM_HEARD_MESSAGE);
        act();
        CHECK(heard.message == note && strcmp(heard.message->channel.as.text.data, "news") == 0);
        DBM_TRY_AWAIT_WITHIN(t, 2, &rc, dbm_async_heard(t, listener, &heard));
    }
    if (act_at == IN_RUN) DBM_AWAIT(t, dbm_async_run(&s, runs_and_acts, NULL));
    if (act_at == IN_CALL) DBM_AWAIT(t, dbm_async_call(t, acts, NULL));
    if (act_at == TASK_BODY) act();
    DBM_AWAIT(t, dbm_async_exec(&s, writes()));
    DBM_TASK_FINALLY(t);
    if (act_at == TASK_FINALLY) act();
    if (act_at == HEARD_BY_TASK && action < ACTIONS) dbm_listen_end(listener); /* also when the loop's end has ended it */
    DBM_TASK_END(t);
}
static void on_task_end(void *ud, dbm_status status, const dbm_error_info *error) {
    (void)ud;
    CHECK((status > DBM_ROLLED_BACK) == (error != NULL));
    task_ended++;
    if (act_at == TASK_END) act();
}
static void sleeper_end(void *ud, dbm_status status, const dbm_error_info *error) {
    (void)ud;
    (void)error;
    CHECK(status != DBM_OK);
    sleeper_ended++;
    if (act_at == LOOP_END) act();
}

/* ---- another loop, of which it is part ---- */

static bool hooked, outer_busy;
static struct { int fd, want; } outer[64];
static int outer_count;
static int64_t outer_at; /* 0: no time */
static dbm_status outer_watch(void *ud, int fd, int want, void **mine) {
    int i = 0;
    (void)ud;
    (void)mine;
    while (i < outer_count && outer[i].fd != fd) i++;
    CHECK(i < 64);
    outer[i].fd = fd;
    outer[i].want = want;
    if (i == outer_count) outer_count++;
    if (want == 0) outer[i] = outer[--outer_count];
    return DBM_OK;
}
static void outer_timer(void *ud, int64_t after_us) {
    (void)ud;
    outer_at = after_us < 0 ? 0 : real_us() + after_us;
}
static void outer_is_busy(void *ud, bool busy) {
    (void)ud;
    outer_busy = busy;
}
static void outer_end(void *ud) {
    (void)ud;
    outer_count = -1;
}
static const dbm_loop_hooks outer_hooks = { NULL, outer_watch, outer_timer, NULL, NULL, outer_is_busy, outer_end };
static dbm_status outer_step(int ms) {
    struct pollfd fds[64];
    int count = outer_count, left = outer_at == 0 ? ms : (int)((outer_at - real_us() + 999) / 1000);
    for (int i = 0; i < count; i++) {
        fds[i].fd = outer[i].fd;
        fds[i].events = (short)((outer[i].want & DBM_STEP_READ ? POLLIN : 0) | (outer[i].want & DBM_STEP_WRITE ? POLLOUT : 0));
    }
    (void)poll(fds, (nfds_t)count, left < 0 ? 0 : left < ms ? left : ms);
    for (int i = 0; i < count && outer_count >= 0; i++) {
        int what = (fds[i].revents & POLLIN ? DBM_STEP_READ : 0) | (fds[i].revents & POLLOUT ? DBM_STEP_WRITE : 0) | (fds[i].revents & ~(POLLIN | POLLOUT) ? DBM_STEP_BOTH : 0);
        if (what != 0) dbm_loop_ready(loop, fds[i].fd, what);
    }
    if (outer_count >= 0 && outer_at != 0 && real_us() >= outer_at) {
        outer_at = 0;
        dbm_loop_timeout(loop);
    }
    return outer_count < 0 ? DBM_E_CLOSED : outer_busy ? DBM_OK : DBM_DONE;
}
static dbm_status step(int ms) { return hooked ? outer_step(ms) : dbm_loop_step(loop, ms); }

static void open_all(void) {
    static dbm_adapter hearing;
    dbm_options options;
    dbm_config config;
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    memset(&heap, 0, sizeof heap);
    memset(calls, 0, sizeof calls);
    memset(&s, 0, sizeof s);
    memset(&other, 0, sizeof other);
    call_count = acted = bulk_rows = sleeper_ended = heard_told = task_ended = 0;
    freed = manager_freed = false;
    listener = NULL;
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
    v3 = server_make();
    hearing = adapter_stepped;
    hearing.type = "hearing";
    hearing.flags |= DBM_ADAPTER_LISTEN;
    hearing.step = hears;
    hearing.disconnect = hears_no_more;
    CHECK_STATUS(dbm_register(mgr, &hearing), DBM_OK);
    (void)snprintf(v3->url, sizeof v3->url, "hearing://%s/%d", named ? "a.name.test" : "127.0.0.1", v3->index);
    config.name = "heard";
    config.url = v3->url;
    db3 = server_add(mgr, v3, "hearing", &config);
    config.url = config.name = NULL;
    if (filed) {
        config.url = "sqlite:///:memory:";
        config.pool.size = 0;
        CHECK_STATUS(dbm_add_database(mgr, &config), DBM_OK);
        db = dbm_get(mgr, NULL);
        CHECK_STATUS(dbm_exec(db, "CREATE TABLE unit (n INTEGER PRIMARY KEY, t TEXT)"), DBM_OK);
    } else {
        db = server_add(mgr, v, form, &config);
    }
    outer_count = 0;
    outer_at = 0;
    outer_busy = false;
    CHECK_STATUS(dbm_loop_create(&loop, mgr, DBM_LOOP_OPTIONS(.hooks = hooked ? &outer_hooks : NULL)), DBM_OK);
}

static void one(void) {
    call *c;
    dbm_status st = DBM_OK;
    int64_t until = real_us() + 20000000;
    int before = generation;
    open_all();
    c = call_at(OF_OTHERS); /* it hangs, and a task sleeps */
    (void)begun(c, dbm_async_session_cb(loop, db2, NULL, &other, NULL, NULL));
    sleeper = dbm_spawn_opt(loop, sleeps, NULL, .on_end = sleeper_end);
    while (other.slot == NULL || stats_of(db2).out < 2) (void)step(10);
    c->begun = false;
    if (act_at != OF_OTHERS) (void)plan(v2, DBM_OP_EXECUTE, 1, DROP);
    if (act_at < HEARD_BY_TASK) CHECK(next_at(SESSION));
    else CHECK(dbm_spawn_opt(loop, works, NULL, .on_end = on_task_end).loop != NULL);
    if (act_at >= HEARD_READY && act_at <= LOOP_END) listens();
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
    while (!freed && st == DBM_OK && s.slot == NULL && calls[1].told == 0 && act_at < ALL_PLACES) st = step(100);
    while (!freed) { /* until what waits for ever is all there is */
        bool waits = act_at >= ALL_PLACES && act_at != LOOP_END && (has_acted() == 0 || (act_at >= HEARD_BY_TASK && task_ended == 0));
        for (int i = 0; i < CALLS; i++) waits = waits || (calls[i].begun && calls[i].told == 0 && (i != CALLS - 2 || act_at == OF_OTHERS));
        if (!waits) break;
        if (real_us() > until) fail_msg("%s, %s %s: not over", form, places[act_at], actions[action]);
        (void)step(100);
    }
    if (!freed && act_at >= ALL_PLACES && act_at != LOOP_END) for (int i = 0; i < 5 && !freed; i++) (void)step(1);
    if (action == LISTENS_ANEW) CHECK(generation == before + 1 && listener != NULL);
    if (!freed) dbm_loop_free(loop);
    if (act_at >= HEARD_BY_TASK) CHECK(task_ended == 1);
    for (int i = 0; i < CALLS; i++) if (calls[i].told != (calls[i].begun ? 1 : 0)) fail_msg("%s, %s %s: call %d (%s) was told %d times", form, places[act_at], actions[action], i, places[calls[i].place], calls[i].told);
    CHECK(sleeper_ended == 1);
    if (has_acted() == 0) fail_msg("%s, %s %s: acted %d times", form, places[act_at], actions[action], acted);
    for (int i = 0; i < 3 && !manager_freed; i++) {
        dbm_stats_info n = stats_of(i == 0 ? db : i == 1 ? db2 : db3);
        if (n.out != 0 || n.connecting != 0 || n.waiting != 0 || n.idle != n.open) fail_msg("%s, %s %s: %d out, %d connecting, %d waiting", form, places[act_at], actions[action], n.out, n.connecting, n.waiting);
    }
    if (!filed && (action == FREES || action == CLOSES_AND_FREES) && act_at < COMMIT) CHECK(v->commits == 0); /* it was rolled back */
    if (!manager_freed) {
        CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
        dbm_manager_free(mgr);
    }
    if (test_heap_live(&heap) != 0) fail_msg("%s, %s %s: %ld blocks are left", form, places[act_at], actions[action], test_heap_live(&heap));
    CHECK(server_end_all() == 0);
}

static void in_each_callback(void **state) {
    static const char *const forms[] = { "stepped", "batched", "scripted", "filed", "batched" };
    (void)state;
    for (int i = 0; i < 5; i++) {
        form = forms[i];
        filed = i == 3;
        hooked = i == 4;
        for (act_at = 0; act_at < ALL_PLACES; act_at++) for (action = 0; action < ACTIONS; action++) if (!filed || act_at != ON_DATABASE) one(); /* in memory there is one connection */
    }
}

/* Those of listeners, of tasks, and on workers, where what is the loop's thread's alone is left out. */
static bool may_act(void) {
    if (act_at >= ON_WORKERS) return action == CLOSES || action == FREES_MANAGER || action == CANCELS_ITSELF;
    if (act_at == LOOP_END && action == LISTENS_ANEW) return false; /* it is refused */
    return action < ACTIONS || (act_at >= HEARD_READY && act_at <= HEARD_BY_TASK);
}
static void elsewhere(void **state) {
    static const char *const forms[] = { "stepped", "batched", "scripted", "filed", "stepped" };
    (void)state;
    for (int i = 0; i < 5; i++) {
        form = forms[i];
        filed = i == 3;
        hooked = i == 4;
        named = i == 1;
        for (act_at = ALL_PLACES; act_at < PLACES_ELSEWHERE; act_at++) for (action = 0; action < ALL_ACTIONS; action++) if (may_act()) one();
    }
}

/* ---- what closing waits for ---- */

static dbm_status closed;
static int64_t closed_us;
static dbm_error_info closed_why;
static void closes(void *ud) {
    int64_t began = real_us();
    (void)ud;
    closed = dbm_close_all(mgr);
    closed_us = real_us() - began;
    closed_why = *dbm_last_error();
}
static void job_sits(worker *w) {
    job_begin(w);
    UNTIL(__atomic_load_n(&w->number, __ATOMIC_SEQ_CST) != 0);
    pause_us(50000);
    w->status = dbm_session_end(&w->s);
}
static void nobody(void *ud, dbm_status status) { (void)ud; (void)status; }
enum { SITS, CONNECTS, PINGS, RUNS, CARRIES, GIVES_BACK, STATES };

/* Sessions of this thread's loops can't come back meanwhile: they are not waited for, and are no leaks. Those of other threads are. */
static void a_close_waits_for_others(void **state) {
    static const char *const forms[] = { "stepped", "scripted" };
    (void)state;
    for (int f = 0; f < 2; f++) for (int at = 0; at < STATES; at++) for (int where = 0; where < 2; where++) for (int others = 0; others < 3; others++) { /* none, one that comes back, one that does not */
        dbm_options options;
        dbm_config config;
        worker w;
        dbm_session mine;
        memset(&options, 0, sizeof options);
        memset(&config, 0, sizeof config);
        if (f == 1 && at != SITS && at != RUNS) continue; /* a worker goes on with those */
        options.grace_ms = others == 2 ? 60 : 20000;
        config.pool.size = 3;
        config.pool.pre_ping = at == PINGS ? DBM_PRE_PING_ALWAYS : DBM_PRE_PING_OFF;
        config.pool.reset_on_return = at == GIVES_BACK ? DBM_RESET_FULL : DBM_RESET_DEFAULT;
        mgr = server_manager(&options);
        v = server_make();
        db = server_add(mgr, v, forms[f], &config);
        CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
        worker_start(&w, db);
        worker_do(&w, job_sits);
        UNTIL(stats_of(db).out == 1);
        if (at == PINGS) {
            CHECK_STATUS(dbm_session_begin(db, NULL, &mine), DBM_OK);
            (void)dbm_session_end(&mine);
        }
        if (at == CONNECTS) (void)plan(v, DBM_OP_CONNECT, 1, DROP);
        if (at == PINGS) (void)plan(v, DBM_OP_PING, 0, DROP);
        if (at == RUNS || at == CARRIES) (void)plan(v, DBM_OP_EXECUTE, 0, f == 0 ? DROP : BLOCK);
        if (at == GIVES_BACK) (void)plan(v, DBM_OP_RESET, 1, DROP);
        memset(&mine, 0, sizeof mine);
        if (at != CARRIES) CHECK_STATUS(dbm_async_session_cb(loop, db, NULL, &mine, nobody, NULL), DBM_OK);
        if (at != CARRIES && at != CONNECTS && at != PINGS) while (mine.slot == NULL) (void)dbm_loop_step(loop, 10);
        if (at == RUNS) CHECK_STATUS(dbm_async_exec_cb(&mine, nobody, NULL, "write"), DBM_OK);
        if (at == CARRIES) CHECK_STATUS(dbm_async_exec_cb(dbm_async_on(loop, db), nobody, NULL, "write"), DBM_OK);
        if (at == GIVES_BACK) CHECK_STATUS(dbm_async_end_cb(&mine, nobody, NULL), DBM_OK);
        for (int i = 0; i < 4; i++) (void)dbm_loop_step(loop, 2);
        CHECK(stats_of(db).out + stats_of(db).connecting == 2);
        if (others != 2) __atomic_store_n(&w.number, 1, __ATOMIC_SEQ_CST);
        if (others == 0) (void)worker_wait(&w);
        closed = DBM_E_LOST;
        if (where == 0) closes(NULL);
        else CHECK_STATUS(dbm_loop_post(loop, closes, NULL), DBM_OK);
        if (where == 1) (void)dbm_loop_step(loop, 10);
        if (closed != (others == 2 ? DBM_E_LEAKED : DBM_OK) || closed_us > 5000000 || (others == 2 && strncmp(closed_why.message, "1 session", 9) != 0))
            fail_msg("%s, %d, %d, %d: %s in %d us, %s", forms[f], at, where, others, dbm_status_name(closed), (int)closed_us, closed_why.message);
        if (others == 2 && (strstr(closed_why.message, "scripted.h:") == NULL || strstr(closed_why.message, "test_async_inside.c:") != NULL)) fail_msg("%s", closed_why.message);
        if (others == 1) CHECK(closed_us > 40000);
        if (others == 2) CHECK(closed_us > 50000);
        __atomic_store_n(&w.number, 1, __ATOMIC_SEQ_CST);
        (void)worker_wait(&w);
        plan_clear(v);
        server_kill(v, 0);
        server_release(v);
        worker_end(&w);
        dbm_loop_free(loop);
        dbm_manager_free(mgr);
        CHECK(server_end_all() == 0);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_each_callback), cmocka_unit_test(elsewhere), cmocka_unit_test(a_close_waits_for_others) };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
