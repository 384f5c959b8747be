/* How tasks end whose server says nothing any more, while their loop lives: within the time of the task, once, with the status that is true, and their
 * connection is replaced. And what else ends at an awkward moment. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"

static server *v;
static dbm_manager *mgr;
static dbm_database *db;
static dbm_loop *loop;

enum { GRACE_MS = 300 };
typedef struct job {
    dbm_session s;
    dbm_rows *rows;
    dbm_status rc;
    int told, at, how;
    dbm_status status;
    dbm_error_info error;
} job;

static void open_with(const char *form, const dbm_config *config) {
    static dbm_adapter uncancelled;
    dbm_options options;
    uncancelled = adapter_stepped;
    uncancelled.type = "uncancelled";
    uncancelled.cancel = NULL;
    v = server_make();
    memset(&options, 0, sizeof options);
    options.grace_ms = GRACE_MS;
    mgr = server_manager(&options);
    CHECK_STATUS(dbm_register(mgr, &uncancelled), DBM_OK);
    db = server_add(mgr, v, form, config);
    CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
}
static void close_it(void) {
    dbm_loop_free(loop);
    CHECK(stats_of(db).waiting == 0 && stats_of(db).out == 0 && stats_of(db).idle == stats_of(db).open);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    CHECK(server_live(v) == 0);
    (void)server_end_all();
}
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    job *x = (job *)ud;
    x->told++;
    x->status = status;
    if (error != NULL) x->error = *error;
}

/* ---- the end of a task on a silent server ---- */

enum { COMMITS, COMMITS_BY_ITSELF, FAILS, ROLLS_BACK_BY_ITSELF, SLEEPS, READS };
static dbm_task_status works(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    x->at = 1;
    if (x->how == COMMITS_BY_ITSELF) DBM_AWAIT(t, dbm_async_commit(&x->s));
    if (x->how == ROLLS_BACK_BY_ITSELF) DBM_AWAIT(t, dbm_async_rollback(&x->s));
    if (x->how == SLEEPS) DBM_AWAIT(t, dbm_async_sleep(t, 60000));
    if (x->how == READS) {
        DBM_AWAIT(t, dbm_async_query(&x->s, &x->rows, "rows 5 x 1"));
        DBM_AWAIT(t, dbm_async_sleep(t, 60000));
    }
    x->at = 2;
    if (x->how == FAILS) return dbm_task_fail(t, dbm__fail(DBM_E_RANGE, DBM_STAGE_NONE, "", "", "it fails by itself"));
    DBM_TASK_END(t);
}
static job child_job;
static dbm_task_status awaits_a_child(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_task(t, works, &child_job));
    DBM_TASK_END(t);
}

typedef struct scene { const char *what; int how, silent, deadline_ms, cancel_ms, most_ms; dbm_status status; bool of_child; } scene;
static const scene scenes[] = {
    { "the COMMIT at its end, late", COMMITS, DBM_OP_COMMIT, 100, 0, 100, DBM_E_IN_DOUBT, false },
    { "a COMMIT of its own, late", COMMITS_BY_ITSELF, DBM_OP_COMMIT, 100, 0, 100, DBM_E_IN_DOUBT, false },
    { "the COMMIT at the end of a child, late", COMMITS, DBM_OP_COMMIT, 100, 0, 100, DBM_E_IN_DOUBT, true },
    { "the COMMIT at its end, cancelled and late", COMMITS, DBM_OP_COMMIT, 150, 50, 150, DBM_E_IN_DOUBT, false },
    { "a COMMIT of its own, cancelled and late", COMMITS_BY_ITSELF, DBM_OP_COMMIT, 150, 50, 150, DBM_E_IN_DOUBT, false },
    { "the ROLLBACK at its end, late", FAILS, DBM_OP_ROLLBACK, 100, 0, 1100, DBM_E_RANGE, false },
    { "the ROLLBACK after the deadline", SLEEPS, DBM_OP_ROLLBACK, 100, 0, 1100, DBM_E_TIMEOUT, false },
    { "the ROLLBACK after a cancel", SLEEPS, DBM_OP_ROLLBACK, 0, 50, 1050, DBM_E_CANCELLED, false },
    { "a cancel in the COMMIT at its end", COMMITS, DBM_OP_COMMIT, 0, 50, 50 + GRACE_MS, DBM_E_IN_DOUBT, false },
    { "a cancel in a COMMIT of its own", COMMITS_BY_ITSELF, DBM_OP_COMMIT, 0, 50, 50 + GRACE_MS, DBM_E_IN_DOUBT, false },
    { "a cancel in the ROLLBACK at its end", FAILS, DBM_OP_ROLLBACK, 0, 50, 50 + GRACE_MS, DBM_E_RANGE, false },
    { "a ROLLBACK of its own, cancelled", ROLLS_BACK_BY_ITSELF, DBM_OP_ROLLBACK, 0, 50, 50 + GRACE_MS, DBM_E_CANCELLED, false },
    { "a ROLLBACK of its own, late", ROLLS_BACK_BY_ITSELF, DBM_OP_ROLLBACK, 100, 0, 1100, DBM_E_TIMEOUT, false },
    { "rows that are open, cancelled", READS, DBM_OP_FINISH, 0, 50, 1050, DBM_E_CANCELLED, false },
};

static void the_end_has_a_limit(void **state) {
    static const char *const forms[] = { "stepped", "uncancelled" };
    (void)state;
    for (int i = 0; i < 2 * (int)(sizeof scenes / sizeof scenes[0]); i++) {
        const scene *c = &scenes[i / 2];
        dbm_task_handle h;
        job x;
        int64_t from, took;
        memset(&x, 0, sizeof x);
        memset(&child_job, 0, sizeof child_job);
        x.how = child_job.how = c->how;
        open_with(forms[i % 2], NULL);
        CHECK_STATUS(dbm_exec(db, "set x"), DBM_OK);
        (void)plan(v, c->silent, 1, DROP);
        from = real_us();
        h = dbm_spawn_opt(loop, c->of_child ? awaits_a_child : works, &x, .on_end = on_end, .on_end_ud = &x, .deadline_ms = c->deadline_ms);
        if (c->cancel_ms > 0) {
            CHECK_STATUS(dbm_loop_run(loop, c->cancel_ms), DBM_E_TIMEOUT);
            CHECK_STATUS(dbm_task_cancel(h), DBM_OK);
        }
        if (dbm_loop_run(loop, 5000) != DBM_OK) fail_msg("%s, %s: not over after 5 s", forms[i % 2], c->what);
        took = (real_us() - from) / 1000;
        CHECK(x.told == 1);
        if (x.status != c->status) fail_msg("%s, %s: %s %s", forms[i % 2], c->what, dbm_status_name(x.status), x.error.message);
        if (took < (c->cancel_ms > 0 ? c->cancel_ms : c->deadline_ms) - 1 || took > c->most_ms + 400) fail_msg("%s, %s: after %d ms", forms[i % 2], c->what, (int)took);
        if (stats_of(db).broken != (c->silent == DBM_OP_FINISH && i % 2 == 0 ? 0u : 1u) || /* rows are cancelled politely */
             stats_of(db).out != 0) fail_msg("%s, %s: %d broken, %d out, after %d ms: %s", forms[i % 2], c->what, (int)stats_of(db).broken, stats_of(db).out, (int)took, log_text(v));
        CHECK(stats_of(db).in_doubt == (c->status == DBM_E_IN_DOUBT ? 1u : 0u));
        plan_clear(v);
        CHECK_STATUS(dbm_exec(db, "write"), DBM_OK); /* by another connection */
        close_it();
    }
}

/* A cancel that comes while the COMMIT is on its way does not stop it. */
static void a_cancel_races_a_commit(void **state) {
    (void)state;
    for (int how = COMMITS; how <= COMMITS_BY_ITSELF; how++) {
        for (int ms = 0; ms < 4; ms++) { /* in steps, and on a worker */
            dbm_task_handle h;
            job x;
            long cancels;
            memset(&x, 0, sizeof x);
            x.how = how;
            open_with(ms < 2 ? "stepped" : "scripted", NULL);
            CHECK_STATUS(dbm_exec(db, "set x"), DBM_OK);
            plan(v, DBM_OP_COMMIT, 1, DELAY)->delay_us = 100000;
            cancels = server_count(v, ON_CANCEL);
            h = dbm_spawn_opt(loop, works, &x, .on_end = on_end, .on_end_ud = &x);
            while (server_count(v, DBM_OP_COMMIT) == 0) (void)dbm_loop_step(loop, 1);
            if (ms % 2 > 0) {
                dbm_session s = x.s; /* by dbm_cancel() of its session as well */
                (void)dbm_cancel(&s);
            }
            CHECK_STATUS(dbm_task_cancel(h), DBM_OK);
            CHECK_STATUS(dbm_loop_run(loop, 5000), DBM_OK);
            CHECK(x.told == 1);
            CHECK(server_count(v, ON_CANCEL) == cancels);
            CHECK(stats_of(db).in_doubt == 0 && stats_of(db).broken == 0);
            CHECK_STATUS(x.status, how == COMMITS ? DBM_OK : DBM_E_CANCELLED);
            CHECK(log_count(v, DBM_OP_COMMIT, 0) >= 1);
            close_it();
        }
    }
}

/* A child's limit on its COMMIT is not that of the session, which is its parent's. */
static dbm_task_status commits_for_its_parent(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    CHECK_STATUS(dbm_task_deadline(t, 50), DBM_OK);
    DBM_AWAIT(t, dbm_async_commit(&x->s));
    DBM_TASK_END(t);
}
static dbm_task_status goes_on_after_it(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    DBM_AWAIT(t, dbm_async_task(t, commits_for_its_parent, x));
    DBM_AWAIT(t, dbm_async_sleep(t, 60));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    DBM_TASK_END(t);
}
static void the_limit_is_of_the_call(void **state) {
    job x;
    (void)state;
    memset(&x, 0, sizeof x);
    open_with("stepped", NULL);
    CHECK(dbm_spawn_opt(loop, goes_on_after_it, &x, .on_end = on_end, .on_end_ud = &x).loop != NULL);
    CHECK_STATUS(dbm_loop_run(loop, 5000), DBM_OK);
    CHECK_STATUS(x.status, DBM_OK);
    CHECK(server_count(v, DBM_OP_COMMIT) == 2);
    close_it();
}

/* ---- BEGIN on its way when the loop goes ---- */

static dbm_task_status begins(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on_opt(t, db, &x->s, .transaction = true));
    x->at = 1;
    DBM_TASK_END(t);
}
/* dbm_cancel of another thread, while the loop looks whether there was one: the server is told by one of them, for a second word may hit what comes next. */
static int cancels;
static void slow_cancel(dbm_connection *c) {
    (void)__atomic_add_fetch(&cancels, 1, __ATOMIC_RELAXED);
    (void)poll(NULL, 0, 750);
    on_cancel(c);
}
static void *cancels_soon(void *ud) {
    dbm_session s = *(dbm_session *)ud;
    (void)poll(NULL, 0, 300);
    CHECK_STATUS(dbm_cancel(&s), DBM_OK);
    return NULL;
}
static void one_tells_the_server(void **state) {
    static dbm_adapter slow;
    job x = { 0 };
    pthread_t thread;
    (void)state;
    open_with("stepped", NULL);
    slow = *db->adapter;
    slow.cancel = slow_cancel;
    db->adapter = &slow;
    cancels = 0;
    CHECK(dbm_spawn_opt(loop, works, &x, .on_end = on_end, .on_end_ud = &x).loop != NULL);
    plan_delay(v, DBM_OP_EXECUTE, 1, 20000000);
    while (v->counts[DBM_OP_EXECUTE] == 0) (void)dbm_loop_step(loop, 10);
    CHECK(pthread_create(&thread, NULL, cancels_soon, &x.s) == 0);
    CHECK_STATUS(dbm_loop_run(loop, 10000), DBM_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(x.told == 1);
    CHECK_STATUS(x.status, DBM_E_CANCELLED);
    assert_int_equal(cancels, 1);
    close_it();
}

/* What runs on a worker after a rollback that was cancelled, and cost the connection: it has another one. */
static dbm_act *undone;
static dbm_bulk *the_bulk;
static dbm_status writes_once(dbm_session *s, void *ud) {
    dbm_status st = dbm_exec(s, "write");
    *(int *)ud = (int)v->counts[DBM_OP_CONNECT];
    return st;
}
static dbm_task_status runs_after_a_rollback(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on_opt(t, db, &x->s, .autocommit = 1));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &the_bulk, "t", "a,b"));
    DBM_AWAIT(t, dbm_async_bulk_row(the_bulk, 1, 2));
    DBM_TRY_AWAIT(t, &x->rc, undone = dbm_async_bulk_abandon(the_bulk));
    x->at = 1;
    DBM_AWAIT(t, dbm_async_run(&x->s, writes_once, &x->how));
    DBM_TASK_END(t);
}
static void a_run_has_a_connection(void **state) {
    job x = { 0 };
    (void)state;
    open_with("stepped", NULL);
    v->bulk_window = 4;
    CHECK(dbm_spawn_opt(loop, runs_after_a_rollback, &x, .on_end = on_end, .on_end_ud = &x).loop != NULL);
    (void)plan(v, DBM_OP_ROLLBACK, 1, DROP);
    while (v->counts[DBM_OP_ROLLBACK] == 0) (void)dbm_loop_step(loop, 10);
    dbm_async_cancel(undone);
    CHECK_STATUS(dbm_loop_run(loop, 10000), DBM_OK);
    CHECK(x.told == 1 && x.at == 1 && x.how == 2);
    if (x.status != DBM_OK) fail_msg("%s: %s (%s)", dbm_status_name(x.status), x.error.message, dbm_status_name(x.rc));
    close_it();
}

/* A bulk that is cancelled in its BEGIN, and for which the adapter then has no way of its own: the session is its own again. */
static dbm_act *bulk_act;
static dbm_task_status begins_a_bulk(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    DBM_TRY_AWAIT(t, &x->rc, bulk_act = dbm_async_bulk_begin(&x->s, &the_bulk, "t", "a,b"));
    x->at = ((dbm__work *)x->s.slot)->bulk == NULL && the_bulk == NULL ? 1 : 2;
    (void)dbm_clear_error(&x->s);
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    DBM_TASK_END(t);
}
static void a_bulk_is_cancelled_in_its_begin(void **state) {
    job x = { 0 };
    (void)state;
    open_with("stepped", NULL);
    CHECK(dbm_spawn_opt(loop, begins_a_bulk, &x, .on_end = on_end, .on_end_ud = &x).loop != NULL);
    plan_delay(v, DBM_OP_BEGIN, 1, 100000);
    (void)plan(v, DBM_OP_BULK, 1, REFUSE);
    while (v->counts[DBM_OP_BEGIN] == 0) (void)dbm_loop_step(loop, 10);
    dbm_async_cancel(bulk_act);
    CHECK_STATUS(dbm_loop_run(loop, 10000), DBM_OK);
    CHECK(x.told == 1);
    CHECK_STATUS(x.rc, DBM_E_CANCELLED);
    assert_int_equal(x.at, 1);
    close_it();
}

static void told(void *ud, dbm_status status) {
    job *x = (job *)ud;
    x->told++;
    x->status = status;
}
static void the_loop_goes_in_a_begin(void **state) {
    static const char *const forms[] = { "stepped", "scripted" };
    (void)state;
    for (int i = 0; i < 12; i++) { /* a task, or a callback; an answer that comes, none, and one though it was cancelled */
        dbm_session_options options;
        plan_entry *e;
        job x;
        long before;
        if (i % 3 == 1 && i >= 6) continue; /* a worker's call is waited for */
        memset(&x, 0, sizeof x);
        memset(&options, 0, sizeof options);
        options.transaction = true;
        open_with(forms[i / 6], NULL);
        db->transactions_asked = true; /* BEGIN is sent with the session */
        CHECK_STATUS(dbm_exec(db, "set x"), DBM_OK); /* a connection is there */
        e = plan(v, DBM_OP_BEGIN, 1, i % 3 == 1 ? DROP : DELAY);
        e->delay_us = 100000;
        v->deaf = i % 3 == 2;
        before = server_count(v, DBM_OP_BEGIN);
        if (i / 3 % 2 == 0) CHECK(dbm_spawn_opt(loop, begins, &x, .on_end = on_end, .on_end_ud = &x).loop != NULL);
        else CHECK_STATUS(dbm_async_session_cb(loop, db, &options, &x.s, told, &x), DBM_OK);
        while (server_count(v, DBM_OP_BEGIN) == before) (void)dbm_loop_step(loop, 1);
        dbm_loop_free(loop);
        loop = NULL;
        if (x.told != 1) fail_msg("%s, %d: told %d times", forms[i / 6], i, x.told);
        if (x.status != DBM_E_CLOSED && x.status != DBM_E_CANCELLED) fail_msg("%s, %d: %s", forms[i / 6], i, dbm_status_name(x.status));
        if (i / 3 % 2 == 1) CHECK(x.s.slot == NULL);
        CHECK(stats_of(db).out == 0 && server_count(v, DBM_OP_COMMIT) == 0);
        close_it();
    }
}

/* ---- what an adapter is told, and a descriptor that is another one ---- */

static bool on_a_loop, waited_by_itself;
static void notes_start(dbm_connection *c, dbm_op *op) {
    if (on_a_loop && op->may_wait) waited_by_itself = true;
    on_start(c, op);
}
/* Rows that a synchronous call has opened on a task's session are read and ended by the loop. */
static dbm_task_status reads_on(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    on_a_loop = false;
    CHECK_STATUS(dbm_query(&x->s, &x->rows, "rows 5 x 1"), DBM_OK);
    CHECK(x->rows->row.op.may_wait);
    on_a_loop = true;
    DBM_AWAIT(t, dbm_async_rows_end(x->rows));
    DBM_TASK_END(t);
}
static void no_wait_of_its_own(void **state) {
    static dbm_adapter notes;
    job x;
    (void)state;
    memset(&x, 0, sizeof x);
    notes = adapter_stepped;
    notes.type = "notes";
    notes.start = notes_start;
    open_with("stepped", NULL);
    CHECK_STATUS(dbm_register(mgr, &notes), DBM_OK);
    db = server_add(mgr, v, "notes", &(dbm_config){ .name = "noted" });
    CHECK(dbm_spawn_opt(loop, reads_on, &x, .on_end = on_end, .on_end_ud = &x).loop != NULL);
    CHECK_STATUS(dbm_loop_run(loop, 5000), DBM_OK);
    CHECK_STATUS(x.status, DBM_OK);
    on_a_loop = false;
    assert_false(waited_by_itself);
    close_it();
}

/* A driver that has made its connection goes on by another socket of the same number, as one does that tries a second address. */
static dbm_step other_socket_step(dbm_connection *c, dbm_op *op) {
    link_t *l = (link_t *)dbm_adapter_data(c);
    char byte = 'h';
    int fds[2];
    if (op->kind == DBM_OP_LISTEN || op->kind == DBM_OP_NOTIFIED) {
        op->fd = l->fd[0];
        if (op->kind == DBM_OP_LISTEN && l->phase == PHASE_BEGIN) {
            l->phase = PHASE_READ;
            CHECK(send(l->fd[1], &byte, 1, MSG_NOSIGNAL) == 1);
            return DBM_STEP_READ;
        }
        return read(l->fd[0], &byte, 1) == 1 ? DBM_STEP_DONE : DBM_STEP_READ;
    }
    dbm_step want = on_step(c, op);
    if (op->kind != DBM_OP_CONNECT || want != DBM_STEP_DONE) return want;
    l = (link_t *)dbm_adapter_data(c);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(dup2(fds[0], l->fd[0]) == l->fd[0] && close(fds[0]) == 0 && close(l->fd[1]) == 0);
    CHECK(fcntl(l->fd[0], F_SETFL, O_NONBLOCK) == 0);
    l->fd[1] = fds[1];
    return want;
}
static int heard_ready;
static void on_heard(void *ud, const dbm_heard *heard) {
    (void)ud;
    if (heard->kind == DBM_HEARD_READY) heard_ready++;
}
static void a_listener_with_another_socket(void **state) {
    static dbm_adapter other;
    dbm_listener *l = NULL;
    (void)state;
    other = adapter_stepped;
    other.type = "other";
    other.flags |= DBM_ADAPTER_LISTEN;
    other.step = other_socket_step;
    open_with("stepped", NULL);
    CHECK_STATUS(dbm_register(mgr, &other), DBM_OK);
    (void)snprintf(v->url, sizeof v->url, "other://127.0.0.1/%d", v->index); /* no name to look up on a worker */
    db = server_add(mgr, v, "other", &(dbm_config){ .name = "heard", .url = v->url });
    plan(v, DBM_OP_CONNECT, 1, DELAY)->delay_us = 20000; /* so that it waits to read */
    heard_ready = 0;
    CHECK_STATUS(dbm_listen(loop, db, on_heard, NULL, &l), DBM_OK);
    CHECK_STATUS(dbm_listen_to(l, DBM_LISTEN_CHANNEL, "news"), DBM_OK);
    for (int64_t until = real_us() + 3000000; heard_ready == 0 && real_us() < until;) (void)dbm_loop_step(loop, 50);
    CHECK(heard_ready == 1);
    dbm_listen_end(l);
    CHECK_STATUS(dbm_loop_run(loop, 5000), DBM_OK);
    close_it();
}

/* ---- a host's name that takes its time ---- */

static pthread_t looked_up_by;
static int lookups;
static void looks_up(dbm_connection *c, dbm_op *op) { /* as drivers do, and nothing can be waited for meanwhile */
    if (op->kind == DBM_OP_CONNECT) {
        looked_up_by = pthread_self();
        (void)__atomic_add_fetch(&lookups, 1, __ATOMIC_SEQ_CST);
        pause_us(400000);
    }
    on_start(c, op);
}
static dbm_step hears(dbm_connection *c, dbm_op *op) {
    if (op->kind != DBM_OP_LISTEN && op->kind != DBM_OP_NOTIFIED) return on_step(c, op);
    op->fd = ((link_t *)dbm_adapter_data(c))->fd[0];
    return op->kind == DBM_OP_LISTEN ? DBM_STEP_DONE : DBM_STEP_READ;
}
static int64_t longest_us;
static bool ticking;
static dbm_task_status ticks(dbm_task *t) {
    int64_t *last = (int64_t *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (*last = real_us(); ticking; *last = real_us()) {
        DBM_AWAIT(t, dbm_async_sleep(t, 5));
        if (real_us() - *last > longest_us) longest_us = real_us() - *last;
    }
    DBM_TASK_END(t);
}
static void on_end_of_ticks(void *ud, dbm_status status, const dbm_error_info *error) {
    on_end(ud, status, error);
    ticking = false;
}

/* The loop goes on while a session's, and a listener's, connection waits for the resolver: a worker does. */
static void a_name_is_looked_up_elsewhere(void **state) {
    static dbm_adapter slow;
    dbm_listener *l = NULL;
    (void)state;
    slow = adapter_stepped;
    slow.type = "slow";
    slow.flags |= DBM_ADAPTER_LISTEN;
    slow.start = looks_up;
    slow.step = hears;
    for (int how = 0; how < 3; how++) { /* a session; one whose task is cancelled meanwhile; a listener */
        int64_t last = 0;
        dbm_task_handle h = { 0 };
        job x;
        memset(&x, 0, sizeof x);
        open_with("stepped", NULL);
        CHECK_STATUS(dbm_register(mgr, &slow), DBM_OK);
        (void)snprintf(v->url, sizeof v->url, "slow://a.name.test/%d", v->index);
        db = server_add(mgr, v, "slow", &(dbm_config){ .name = "slowly", .url = v->url });
        longest_us = lookups = heard_ready = 0;
        ticking = true;
        CHECK(dbm_spawn(loop, ticks, &last).loop != NULL);
        if (how < 2) {
            h = dbm_spawn_opt(loop, works, &x, .on_end = on_end_of_ticks, .on_end_ud = &x);
            if (how == 1) {
                while (__atomic_load_n(&lookups, __ATOMIC_SEQ_CST) == 0) (void)dbm_loop_step(loop, 5);
                CHECK_STATUS(dbm_task_cancel(h), DBM_OK);
            }
            CHECK_STATUS(dbm_loop_run(loop, 10000), DBM_OK);
            CHECK(x.told == 1);
            CHECK_STATUS(x.status, how == 0 ? DBM_OK : DBM_E_CANCELLED);
        } else {
            CHECK_STATUS(dbm_listen(loop, db, on_heard, NULL, &l), DBM_OK);
            CHECK_STATUS(dbm_listen_to(l, DBM_LISTEN_CHANNEL, "news"), DBM_OK);
            while (heard_ready == 0) CHECK_STATUS(dbm_loop_step(loop, 1000), DBM_OK);
            ticking = false;
            dbm_listen_end(l);
            CHECK_STATUS(dbm_loop_run(loop, 10000), DBM_OK);
        }
        CHECK(lookups == 1 && !pthread_equal(looked_up_by, pthread_self()));
        if (longest_us > 300000) fail_msg("%d: the loop stood for %d us", how, (int)longest_us);
        close_it();
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_end_has_a_limit), cmocka_unit_test(a_cancel_races_a_commit), cmocka_unit_test(the_limit_is_of_the_call),
                                        cmocka_unit_test(the_loop_goes_in_a_begin), cmocka_unit_test(one_tells_the_server), cmocka_unit_test(a_bulk_is_cancelled_in_its_begin), cmocka_unit_test(a_run_has_a_connection), cmocka_unit_test(no_wait_of_its_own), cmocka_unit_test(a_listener_with_another_socket), cmocka_unit_test(a_name_is_looked_up_elsewhere) };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
