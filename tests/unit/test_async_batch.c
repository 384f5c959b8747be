/* Calls that go together in one send, and calls on a database, which share connections, on a scripted server: what each is told whatever fails and wherever it is
 * cut short, how many sends it takes, and that every connection goes back. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"

enum { CALLS = 5, MANY = 64 };
typedef struct told { int times; dbm_status status; char message[200]; dbm_row *row; int64_t value, affected; int order; } told;

static dbm_manager *mgr;
static dbm_database *db;
static dbm_loop *loop;
static server *v;
static test_heap heap;
static int told_so_far;
static dbm_session session;
static int pool_timeout_ms = 5000;
static int64_t (*own_clock)(void *ud);
static bool reads = true; /* rows of calls that go together; one that goes alone ends with the next call on its session */

static void open_all(const char *form, int connections, bool autocommit) {
    dbm_config config;
    dbm_options options;
    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    memset(&heap, 0, sizeof heap);
    options.allocator = test_heap_allocator(&heap);
    options.clock = own_clock;
    config.pool.size = connections;
    config.pool.max_overflow = -1;
    config.pool.timeout_ms = pool_timeout_ms;
    config.pool.pre_ping = DBM_PRE_PING_OFF;
    if (autocommit) config.isolation = DBM_AUTOCOMMIT;
    v = server_make();
    v->clock = own_clock;
    mgr = server_manager(&options);
    db = server_add(mgr, v, form, &config);
    CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
    told_so_far = 0;
}
static void close_all(void) {
    dbm_stats_info s;
    dbm_loop_free(loop);
    s = stats_of(db);
    CHECK(s.out == 0 && s.connecting == 0 && s.waiting == 0 && s.idle == s.open);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    CHECK(server_live(v) == 0 && v->results == 0 && v->statements == 0);
    (void)server_end_all();
}
static void fn(void *ud, dbm_status status) {
    told *t = (told *)ud;
    t->times++;
    t->status = status;
    t->order = told_so_far++;
    (void)snprintf(t->message, sizeof t->message, "%.190s", status != DBM_OK ? dbm_last_error()->message : "");
    if (status == DBM_OK && t->row != NULL && reads) t->value = dbm_row_int(t->row, 0);
    if (session.slot != NULL) t->affected = dbm_affected(&session);
}
static void run(void) {
    if (dbm_loop_run(loop, 20000) != DBM_OK) fail_msg("not over in time: %s", dbm_last_error()->message);
}
static void begin(bool autocommit) {
    dbm_session_options options;
    told t = { 0 };
    memset(&options, 0, sizeof options);
    options.autocommit = autocommit;
    CHECK_STATUS(dbm_async_session_cb(loop, db, &options, &session, fn, &t), DBM_OK);
    run();
    CHECK_STATUS(t.status, DBM_OK);
}
static void end(dbm_status want) {
    told t = { 0 };
    CHECK_STATUS(dbm_async_end_cb(&session, fn, &t), DBM_OK);
    run();
    CHECK(t.times == 1);
    CHECK_STATUS(t.status, want);
}

/* ---- on a session ---------------------------------------------------------------------------------------------------------- */

static const char *const texts[CALLS] = { "write", "rows 2 x 1", "write b", "rows 3 x 1 write", "rows 0 x 1" };
static void five(told *t) {
    memset(t, 0, CALLS * sizeof *t);
    for (int i = 0; i < CALLS; i++) {
        if (starts(texts[i], "rows")) CHECK_STATUS(dbm_async_query_one_cb(&session, &t[i].row, fn, &t[i], texts[i]), DBM_OK);
        else CHECK_STATUS(dbm_async_exec_cb(&session, fn, &t[i], texts[i]), DBM_OK);
    }
    run();
    for (int i = 0; i < CALLS; i++) CHECK(t[i].times == 1 && (i == 0 || t[i].order > t[i - 1].order));
}

static void one_send_for_a_turn(void **state) {
    told t[CALLS];
    (void)state;
    for (int autocommit = 0; autocommit < 2; autocommit++) {
        open_all("batched", 1, false);
        begin(autocommit != 0);
        five(t); /* they are prepared, one by one */
        v->batches = 0;
        v->batch_most = 0;
        five(t);
        assert_int_equal(v->batches, 1);
        assert_int_equal(v->batch_most, CALLS);
        for (int i = 0; i < CALLS; i++) CHECK_STATUS(t[i].status, i == 4 ? DBM_E_NOT_FOUND : DBM_OK);
        assert_int_equal(t[1].value, 0);
        assert_int_equal(t[0].affected, 1);
        assert_int_equal(v->commits, 0);
        end(DBM_OK);
        assert_int_equal(v->commits, autocommit ? 0 : 1);
        close_all();
    }
}

/* A commit, a rollback or the end behind a batch, made in the same turn or later: the rows are there when their calls are told, and hinder nothing. */
static void ends_behind_a_batch(void **state) {
    told t[3];
    (void)state;
    for (int autocommit = 0; autocommit < 2; autocommit++) {
        for (int how = 0; how < 6; how++) {
            dbm_status st;
            open_all("batched", 1, false);
            begin(autocommit != 0);
            memset(t, 0, sizeof t);
            for (int i = 0; i < 2; i++) CHECK_STATUS(dbm_async_query_one_cb(&session, &t[i].row, fn, &t[i], "rows 1 x 2"), DBM_OK);
            t[0].value = t[1].value = -1;
            if (how >= 3) run();
            if (how % 3 == 0) st = dbm_async_commit_cb(&session, fn, &t[2]);
            else if (how % 3 == 1) st = dbm_async_rollback_cb(&session, fn, &t[2]);
            else st = dbm_async_end_cb(&session, fn, &t[2]);
            CHECK_STATUS(st, DBM_OK);
            run();
            for (int i = 0; i < 3; i++) CHECK(t[i].times == 1 && t[i].status == DBM_OK && t[i].order == i + 1);
            CHECK(t[0].value == 0 && t[1].value == 0);
            if (how % 3 != 2) end(DBM_OK);
            close_all();
        }
    }
}

/* The call that fails, by itself or by the adapter, at each place. */
static void one_that_fails(void **state) {
    told t[CALLS];
    (void)state;
    for (int autocommit = 0; autocommit < 2; autocommit++) {
        for (int action = 0; action < 3; action++) {
            for (int at = 0; at < CALLS; at++) {
                open_all("batched", 1, false);
                begin(autocommit != 0);
                five(t);
                log_clear(v);
                if (action == 0) {
                    plan_fail(v, DBM_OP_EXECUTE, at + 1, DBM_E_CONSTRAINT, "23505");
                } else if (action == 1) {
                    (void)plan(v, DBM_OP_RECEIVE, at + 1, LOSE);
                } else {
                    (void)plan(v, DBM_OP_EXECUTE, at + 1, REFUSE); /* it goes alone */
                }
                if (action == 1) end(DBM_OK), begin(autocommit != 0);
                reads = action != 2;
                five(t);
                reads = true;
                for (int i = 0; i < CALLS; i++) {
                    dbm_status fine = i == 4 ? DBM_E_NOT_FOUND : DBM_OK, want = fine;
                    if (action == 0 && i >= at) want = i == at || !autocommit ? DBM_E_CONSTRAINT : fine;
                    if (action == 1 && at != 0 && i >= at) want = !autocommit ? DBM_E_LOST : texts[i][0] == 'w' || i == 3 ? DBM_E_IN_DOUBT : DBM_E_LOST;
                    if (action == 1 && at == 0 && autocommit) want = texts[i][0] == 'w' || i == 3 ? DBM_E_IN_DOUBT : DBM_E_LOST;
                    if (t[i].status != want) fail_msg("autocommit %d, action %d at %d: call %d: %s, expected %s: %s", autocommit, action, at, i, dbm_status_name(t[i].status), dbm_status_name(want), t[i].message);
                }
                plan_clear(v);
                end(action == 2 || (action == 1 && at == 0 && !autocommit) ? DBM_OK : t[at].status);
                close_all();
            }
        }
    }
}

/* ---- on a database ----------------------------------------------------------------------------------------------------------------- */

typedef struct asker { int rounds, i, n; dbm_row *row; int64_t sum; dbm_status rc; } asker;
static dbm_task_status ask(dbm_task *t) {
    asker *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (x->i = 0; x->i < x->rounds; x->i++) {
        DBM_AWAIT(t, dbm_async_query_one(db, &x->row, "rows 2 x 3"));
        x->sum += dbm_row_int(x->row, 2);
    }
    DBM_AWAIT(t, dbm_async_exec(db, "write"));
    DBM_TASK_END(t);
}

static int ended;
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    ended++;
    *(dbm_status *)ud = status;
    if (status != DBM_OK) fail_msg("%s: %s", dbm_status_name(status), error != NULL ? error->message : "");
}
static void ask_many(const char *form, int connections, int tasks, int rounds) {
    static asker all[MANY];
    dbm_status status[MANY];
    dbm_stats_info s;
    memset(all, 0, sizeof all);
    ended = 0;
    for (int i = 0; i < tasks; i++) {
        all[i].rounds = rounds;
        all[i].n = i;
        CHECK(dbm_spawn_opt(loop, ask, &all[i], .on_end = on_end, .on_end_ud = &status[i]).loop != NULL);
    }
    run();
    CHECK(ended == tasks);
    for (int i = 0; i < tasks; i++) CHECK(all[i].sum == (int64_t)rounds * 2);
    s = stats_of(db);
    CHECK(s.out == 0 && s.open <= connections);
    (void)form;
}

static void calls_share_connections(void **state) {
    static const char *const forms[] = { "batched", "stepped", "scripted", "piped" };
    (void)state;
    for (int f = 0; f < 4; f++) {
        for (int connections = 1; connections <= 4; connections += 3) {
            open_all(forms[f], connections, false);
            v->value_count = -1;
            ask_many(forms[f], connections, 4, 2);
            v->batches = 0;
            v->batch_most = 0;
            log_clear(v);
            ask_many(forms[f], connections, MANY, 20);
            if (f == 0) {
                printf("%s: %d connections: %ld sends for %d calls, at most %d at once\n", forms[f], connections, v->batches, MANY * 21, v->batch_most);
                CHECK(v->batches <= MANY * 21 / 8 && v->batch_most <= 32 && v->batch_most >= MANY / connections / 2);
            }
            CHECK(v->begun_write == false && v->commits == 0);
            close_all();
        }
    }
}

/* ---- cut short ---------------------------------------------------------------------------------------------------------------------- */

/* What others are told when one of a batch fails, or its connection is lost: each for itself. */
typedef struct lone { bool writes; dbm_row *row; dbm_status rc; int64_t value; int times; dbm_act *act; } lone;
static dbm_task_status ask_once(dbm_task *t) {
    lone *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (x->writes) DBM_TRY_AWAIT(t, &x->rc, x->act = dbm_async_exec(db, "write"));
    else DBM_TRY_AWAIT(t, &x->rc, x->act = dbm_async_query_one(db, &x->row, "rows 1 x 2"));
    if (x->row != NULL) x->value = dbm_row_int(x->row, 1);
    x->times++;
    DBM_TASK_END(t);
}
static dbm_task_status ask_other(dbm_task *t) {
    lone *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_TRY_AWAIT(t, &x->rc, x->act = dbm_async_exec(db, "write other"));
    x->times++;
    DBM_TASK_END(t);
}
static void ask_all(lone *all) {
    memset(all, 0, CALLS * sizeof *all);
    for (int i = 0; i < CALLS; i++) {
        all[i].writes = i % 2 == 1;
        CHECK(dbm_spawn(loop, ask_once, &all[i]).loop != NULL);
    }
}
static void each_for_itself(void **state) {
    static const char *const forms[] = { "batched", "stepped", "scripted" };
    lone all[CALLS];
    (void)state;
    for (int f = 0; f < 3; f++) {
        for (int action = 0; action < 3; action++) {
            for (int at = 0; at < CALLS; at++) {
                open_all(forms[f], 1, false);
                ask_all(all);
                run();
                for (int i = 0; i < CALLS; i++) CHECK(all[i].times == 1 && all[i].rc == DBM_OK && (all[i].writes || all[i].value == 1));
                if (action == 0) plan_fail(v, DBM_OP_EXECUTE, at + 1, DBM_E_CONSTRAINT, "23505");
                else if (action == 1) (void)plan(v, f == 0 ? DBM_OP_RECEIVE : DBM_OP_EXECUTE, at + 1, LOSE);
                else if (f == 0) (void)plan(v, DBM_OP_EXECUTE, at + 1, REFUSE);
                ask_all(all);
                run();
                plan_clear(v);
                for (int i = 0; i < CALLS; i++) {
                    dbm_status want = action == 0 && i == at ? DBM_E_CONSTRAINT : DBM_OK;
                    if (action == 1 && all[i].writes && (i == at || (f == 0 && i > at))) want = DBM_E_IN_DOUBT; /* what reads goes once more */
                    if (all[i].times != 1 || all[i].rc != want) fail_msg("%s, action %d at %d: call %d: %s, expected %s", forms[f], action, at, i, dbm_status_name(all[i].rc), dbm_status_name(want));
                    if (all[i].rc == DBM_OK && !all[i].writes) CHECK(all[i].value == 1);
                }
                close_all();
            }
        }
    }
}

/* A call that is cancelled at each place, after so many turns of the loop: it is told at once, and the others are answered. */
static void cancelled_cancels_nobody_else(void **state) {
    lone all[CALLS];
    (void)state;
    for (int warm = 0; warm < 2; warm++) {
        for (int at = 0; at < CALLS; at++) {
            for (int turns = 1; turns < 5; turns++) {
                open_all("batched", 1, false);
                if (warm) {
                    ask_all(all);
                    run();
                }
                plan_entry *e = plan(v, DBM_OP_RECEIVE, 1, DELAY);
                e->delay_us = 20000;
                ask_all(all);
                for (int i = 0; i < turns; i++) (void)dbm_loop_step(loop, 0);
                dbm_async_cancel(all[at].times == 0 ? all[at].act : NULL);
                for (int i = 0; i < 3; i++) (void)dbm_loop_step(loop, 0);
                if (warm) CHECK(all[at].times == 1); /* though the answer is still to come */
                run();
                plan_clear(v);
                for (int i = 0; i < CALLS; i++) {
                    bool fine = all[i].rc == DBM_OK || (i == at && (all[i].rc == DBM_E_CANCELLED || (all[i].writes && all[i].rc == DBM_E_IN_DOUBT)));
                    if (all[i].times != 1 || !fine) fail_msg("warm %d, %d cancelled after %d turns: call %d: %s", warm, at, turns, i, dbm_status_name(all[i].rc));
                }
                CHECK(v->counts[ON_CANCEL] <= 1);
                close_all();
            }
        }
    }
}

/* A loop goes on until the connection of what was cancelled is back, though nobody waits for the answer: else nobody could have it. */
static void nobody_waits(void **state) {
    static const char *const forms[] = { "batched", "stepped" };
    (void)state;
    for (int f = 0; f < 2; f++) {
        lone all[2];
        open_all(forms[f], 1, false);
        memset(all, 0, sizeof all);
        plan_delay(v, f == 0 ? DBM_OP_RECEIVE : DBM_OP_EXECUTE, 0, 500000);
        for (int i = 0; i < 2; i++) CHECK(dbm_spawn(loop, ask_once, &all[i]).loop != NULL);
        while (server_count(v, DBM_OP_EXECUTE) == 0) (void)dbm_loop_step(loop, 1);
        for (int i = 0; i < 2; i++) dbm_async_cancel(all[i].act);
        run();
        for (int i = 0; i < 2; i++) CHECK(all[i].times == 1 && all[i].rc == DBM_E_CANCELLED);
        CHECK(stats_of(db).out == 0);
        plan_clear(v);
        close_all();
    }
}

/* What was cancelled after it was sent is in doubt, and counted, once: also when the connection is lost before it is answered. */
static void in_doubt_once(void **state) {
    lone all[CALLS];
    (void)state;
    open_all("batched", 1, false);
    ask_all(all);
    run();
    plan(v, DBM_OP_RECEIVE, 1, DELAY)->delay_us = 20000;
    (void)plan(v, DBM_OP_RECEIVE, 2, LOSE);
    ask_all(all);
    for (int i = 0; i < 3; i++) (void)dbm_loop_step(loop, 0);
    dbm_async_cancel(all[1].act);
    run();
    for (int i = 0; i < CALLS; i++) CHECK_STATUS(all[i].rc, all[i].writes ? DBM_E_IN_DOUBT : DBM_OK);
    CHECK(stats_of(db).in_doubt == 2);
    close_all();
}

/* A call that is cancelled while the server is asked to prepare its statement: it is not sent any more. */
static void cancelled_while_prepared(void **state) {
    lone all[3];
    long executed;
    (void)state;
    open_all("batched", 1, false);
    v->prepare_waits = true;
    memset(all, 0, sizeof all);
    for (int i = 0; i < 3; i++) all[i].writes = true;
    CHECK(dbm_spawn(loop, ask_once, &all[2]).loop != NULL); /* so that the server knows the statement of the one behind it */
    run();
    executed = server_count(v, DBM_OP_EXECUTE);
    plan_delay(v, DBM_OP_PREPARE, 1, 20000);
    CHECK(dbm_spawn(loop, ask_other, &all[0]).loop != NULL);
    CHECK(dbm_spawn(loop, ask_once, &all[1]).loop != NULL);
    for (int i = 0; i < 6; i++) (void)dbm_loop_step(loop, 0);
    CHECK(all[0].times == 0);
    dbm_async_cancel(all[0].act);
    run();
    CHECK(all[0].times == 1 && all[1].times == 1);
    CHECK_STATUS(all[0].rc, DBM_E_CANCELLED); /* which is: not done */
    CHECK_STATUS(all[1].rc, DBM_OK);
    CHECK(server_count(v, DBM_OP_EXECUTE) == executed + 1);
    close_all();
}

/* The loop is freed with calls at every stage; and whatever memory there is none for, each is told once. */
static void freed_at_every_turn(void **state) {
    static const char *const forms[] = { "batched", "stepped", "scripted" };
    told t[CALLS];
    lone all[CALLS];
    (void)state;
    for (int f = 0; f < 3; f++) {
        for (int turns = 0; turns < 8; turns++) {
            for (int tasks = 0; tasks < 2; tasks++) {
                open_all(forms[f], 2, false);
                plan_entry *e = plan(v, f == 0 ? DBM_OP_RECEIVE : DBM_OP_EXECUTE, 1, DELAY);
                e->delay_us = 5000;
                memset(t, 0, sizeof t);
                memset(all, 0, sizeof all);
                if (tasks) {
                    ask_all(all);
                } else {
                    dbm_shared *on = dbm_async_on(loop, db);
                    CHECK(on != NULL && dbm_async_on(loop, db) == on);
                    for (int i = 0; i < CALLS; i++) {
                        if (i % 2 == 0) CHECK_STATUS(dbm_async_query_one_cb(on, &t[i].row, fn, &t[i], "rows 1 x 2"), DBM_OK);
                        else CHECK_STATUS(dbm_async_exec_cb(on, fn, &t[i], "write"), DBM_OK);
                    }
                    CHECK_STATUS(dbm_async_exec_cb(db, fn, NULL, "write"), DBM_E_MISUSE); /* no loop runs here */
                }
                for (int i = 0; i < turns; i++) (void)dbm_loop_step(loop, 0);
                close_all();
                for (int i = 0; i < CALLS; i++) {
                    dbm_status st = tasks ? all[i].rc : t[i].status;
                    CHECK((tasks ? all[i].times : t[i].times) <= 1 && (tasks || t[i].times == 1));
                    CHECK(st == DBM_OK || st == DBM_E_CANCELLED || st == DBM_E_CLOSED || (i % 2 == 1 && st == DBM_E_IN_DOUBT));
                }
            }
        }
    }
}

/* Each allocation fails once, and then all of them from there on: whatever was begun is told once, and nothing stays behind. */
static void without_memory(void **state) {
    static const char *const forms[] = { "batched", "scripted" };
    (void)state;
    for (int f = 0; f < 2; f++) {
        for (int all_fail = 0; all_fail < 2; all_fail++) {
            bool failed = true;
            for (long nth = 1; failed; nth++) {
                dbm_status st;
                told t[CALLS];
                bool begun[CALLS];
                open_all(forms[f], 2, false);
                memset(t, 0, sizeof t);
                if (all_fail) test_heap_fail_all(&heap, nth);
                else test_heap_fail(&heap, nth);
                dbm_shared *on = dbm_async_on(loop, db);
                for (int i = 0; i < CALLS; i++) {
                    st = DBM_E_NOMEM;
                    if (on != NULL && i % 2 == 0) st = dbm_async_query_one_cb(on, &t[i].row, fn, &t[i], "rows 1 x 2");
                    else if (on != NULL) st = dbm_async_exec_cb(on, fn, &t[i], "write");
                    begun[i] = st == DBM_OK;
                    CHECK(st == DBM_OK || st == DBM_E_NOMEM);
                }
                run();
                failed = heap.failed != 0;
                test_heap_fail(&heap, 0);
                for (int i = 0; i < CALLS; i++) {
                    CHECK(t[i].times == begun[i]);
                    if (begun[i] && !failed) CHECK_STATUS(t[i].status, DBM_OK);
                }
                close_all();
                CHECK(nth < 2000);
            }
        }
    }
    CHECK(test_heap_live(&heap) == 0);
}

/* Who waits for a connection gets one, though calls come without end. */
static int calls_so_far, begun_at;
static bool busy_over;
static dbm_task_status busy(dbm_task *t) {
    lone *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    while (!busy_over && calls_so_far < 100000) {
        DBM_AWAIT(t, dbm_async_query_one(db, &x->row, "rows 1 x 2"));
        calls_so_far++;
    }
    DBM_TASK_END(t);
}
static dbm_task_status wants_one(dbm_task *t) {
    static dbm_session s;
    static dbm_row *row;
    DBM_TASK_BEGIN(t);
    while (calls_so_far < 1000) DBM_AWAIT(t, dbm_async_yield(t));
    begun_at = calls_so_far;
    DBM_AWAIT(t, dbm_async_session_on(t, db, &s));
    begun_at = calls_so_far - begun_at;
    DBM_AWAIT(t, dbm_async_query_one(&s, &row, "rows 1 x 1"));
    busy_over = true;
    DBM_TASK_END(t);
}
static void others_get_connections(void **state) {
    static lone all[MANY];
    (void)state;
    open_all("batched", 2, false);
    busy_over = false;
    calls_so_far = 0;
    for (int i = 0; i < MANY; i++) CHECK(dbm_spawn(loop, busy, &all[i]).loop != NULL);
    CHECK(dbm_spawn(loop, wants_one, NULL).loop != NULL);
    run();
    printf("a session began after %d calls\n", begun_at);
    CHECK(busy_over && begun_at <= 2 * 256 + 2 * MANY);
    close_all();
}

/* A connection that a session gives back is had by the call that waits, though what is before it is slow and nothing else happens. */
static dbm_task_status holds_one(dbm_task *t) {
    static dbm_session s;
    lone *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &s));
    x->times = 1;
    DBM_AWAIT(t, dbm_async_sleep(t, 50));
    DBM_AWAIT(t, dbm_async_end(&s));
    x->times = 2;
    DBM_TASK_END(t);
}
static void a_connection_comes_back(void **state) {
    static lone all[3];
    (void)state;
    open_all("batched", 2, false);
    memset(all, 0, sizeof all);
    CHECK(dbm_spawn(loop, holds_one, &all[0]).loop != NULL);
    while (all[0].times == 0) (void)dbm_loop_step(loop, 10);
    plan_delay(v, DBM_OP_EXECUTE, 1, 3000000);
    CHECK(dbm_spawn(loop, ask_once, &all[1]).loop != NULL);
    while (server_count(v, DBM_OP_EXECUTE) == 0) (void)dbm_loop_step(loop, 1);
    CHECK(dbm_spawn(loop, ask_once, &all[2]).loop != NULL);
    while (all[2].times == 0) (void)dbm_loop_step(loop, 100);
    CHECK(all[1].times == 0); /* that one is still waited for */
    run();
    CHECK(all[0].times == 2 && all[1].rc == DBM_OK && all[2].rc == DBM_OK);
    close_all();
}

/* Threads have the other connection, one after the other without end: a call that waits has its turn among them, as a session would. */
static bool threads_end;
static void *has_it(void *ud) {
    (void)ud;
    while (!__atomic_load_n(&threads_end, __ATOMIC_SEQ_CST)) {
        dbm_session s;
        CHECK_STATUS(dbm_session_begin(db, NULL, &s), DBM_OK);
        pause_us(2000);
        CHECK_STATUS(dbm_session_end(&s), DBM_OK);
    }
    return NULL;
}
static void in_line_with_threads(void **state) {
    static lone all[2];
    (void)state;
    for (int threads = 1; threads < 4; threads += 2) {
        pthread_t thread[3];
        open_all("stepped", 2, false);
        memset(all, 0, sizeof all);
        plan_delay(v, DBM_OP_EXECUTE, 1, 2000000);
        CHECK(dbm_spawn(loop, ask_once, &all[0]).loop != NULL);
        while (server_count(v, DBM_OP_EXECUTE) == 0) (void)dbm_loop_step(loop, 1);
        threads_end = false;
        for (int i = 0; i < threads; i++) CHECK(pthread_create(&thread[i], NULL, has_it, NULL) == 0);
        pause_us(20000);
        CHECK(dbm_spawn(loop, ask_once, &all[1]).loop != NULL);
        while (all[0].times + all[1].times == 0) (void)dbm_loop_step(loop, 100);
        CHECK(all[0].times == 0 && all[1].rc == DBM_OK);
        __atomic_store_n(&threads_end, true, __ATOMIC_SEQ_CST);
        run();
        for (int i = 0; i < threads; i++) CHECK(pthread_join(thread[i], NULL) == 0);
        close_all();
    }
}

/* Calls that were taken with one that goes alone, and takes its time, need not wait for it. */
static void behind_a_slow_one(void **state) {
    static lone all[CALLS];
    (void)state;
    open_all("batched", 2, false);
    ask_all(all);
    run();
    (void)plan(v, DBM_OP_EXECUTE, 1, REFUSE);
    plan_delay(v, DBM_OP_EXECUTE, 2, 3000000);
    ask_all(all);
    while (all[1].times + all[2].times + all[3].times + all[4].times < 4) (void)dbm_loop_step(loop, 100);
    CHECK(all[0].times == 0); /* that one is still waited for */
    run();
    for (int i = 0; i < CALLS; i++) CHECK(all[i].rc == DBM_OK && all[i].times == 1);
    close_all();
}

/* A task keeps the rows of calls while it waits for others, on one connection: each is its own, and stays as it is. */
/* ---- answers that come one by one ------------------------------------------------------------------------------------------------------- */

static _Atomic int64_t now_us = 1000000, tick_us; /* also read by the threads of workers */
static int64_t stands_still(void *ud) {
    (void)ud;
    now_us += tick_us;
    return now_us;
}
enum { EACH = 6 }; /* calls of each of two connections */
static lone some[5 * EACH];
static struct link *ends[2];
static int answered(void) {
    int n = 0;
    for (int i = 0; i < 5 * EACH; i++) n += some[i].times;
    return n;
}
static int answer(int which, int count) {
    for (int i = 0; i < count; i++) CHECK(send(ends[which]->fd[1], "c", 1, MSG_NOSIGNAL) == 1);
    for (int i = 0; i < 5; i++) (void)dbm_loop_step(loop, 0);
    return answered();
}
static void ask_more(int from, int count) {
    for (int i = from; i < from + count; i++) CHECK(dbm_spawn(loop, ask_once, &some[i]).loop != NULL);
    for (int i = 0; i < 5; i++) (void)dbm_loop_step(loop, 0);
}
static void open_two(void) {
    own_clock = stands_still;
    open_all("batched", 2, false);
    memset(some, 0, sizeof some);
    ask_more(0, 2 * EACH);
    run();
    memset(some, 0, sizeof some);
    v->by_hand = true;
    ask_more(0, 2 * EACH);
    ends[0] = ends[1] = NULL;
    for (size_t i = 0; i < sizeof v->links / sizeof v->links[0]; i++) {
        if (v->links[i] != NULL && v->links[i]->batched == EACH) ends[ends[0] != NULL] = v->links[i];
    }
    CHECK(ends[0] != NULL && ends[1] != NULL);
}
static void close_two(void) {
    tick_us = 1000;
    close_all();
    tick_us = 0;
    own_clock = NULL;
}

/* The first answer of each connection is told at once. Then one of them leads, and what the other one has is told with its next one, or after a millisecond, when it
 * leads itself. */
static void answers_are_gathered(void **state) {
    (void)state;
    open_two();
    assert_int_equal(answer(0, 1), 1);
    assert_int_equal(answer(1, 1), 2);
    assert_int_equal(answer(1, 1), 2);
    assert_int_equal(answer(0, 1), 4);
    assert_int_equal(answer(1, 1), 4);
    now_us += 999;
    assert_int_equal(answer(1, 0), 4);
    now_us += 1;
    assert_int_equal(answer(1, 0), 5);
    assert_int_equal(answer(1, 1), 6);
    assert_int_equal(answer(0, 1), 7);
    assert_int_equal(answer(0, 1), 7);
    assert_int_equal(answer(1, 1), 9);
    assert_int_equal(answer(1, 1), 10); /* its last one: nobody need wait for it any more */
    assert_int_equal(answer(0, 1), 11);
    assert_int_equal(answer(0, 1), 12);
    for (int i = 0; i < 2 * EACH; i++) CHECK(some[i].times == 1 && some[i].rc == DBM_OK && some[i].value == 1);
    close_two();
}

/* The one that is not watched dies, or the one that leads; a call of it is cancelled; the loop goes. */
static void cut_short_while_gathered(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        open_two();
        (void)answer(0, 1);
        assert_int_equal(answer(1, 1), 2);
        if (how < 2) {
            server_kill(v, ends[1 - how]->number);
            now_us += how == 0 ? 1000 : 0;
            v->by_hand = false;
            (void)answer(how, 1);
            tick_us = 1000;
            run();
        } else if (how == 2) {
            for (int i = 0; i < 2 * EACH; i++) if (some[i].times == 0) dbm_async_cancel(some[i].act);
            for (int i = 0; i < 5; i++) (void)dbm_loop_step(loop, 0);
            assert_int_equal(answered(), 2 * EACH);
            v->by_hand = false;
            (void)answer(0, 1);
            (void)answer(1, 1);
            tick_us = 1000;
            run();
        }
        for (int i = 0; i < 2 * EACH && how < 2; i++) CHECK(some[i].times == 1 && some[i].rc == DBM_OK && some[i].value == 1);
        close_two();
    }
}

/* Whoever becomes free takes no more than its part of all that is under way. */
static void as_many_each(void **state) {
    (void)state;
    open_two();
    ask_more(2 * EACH, 2 * EACH);
    assert_int_equal(answer(0, EACH), EACH);
    assert_int_equal(ends[0]->batched, EACH * 3 / 2);
    assert_int_equal(answer(1, EACH), 2 * EACH);
    assert_int_equal(ends[1]->batched, EACH / 2);
    (void)answer(0, 2 * EACH);
    (void)answer(1, 2 * EACH);
    now_us += 1000;
    assert_int_equal(answer(0, 0), 4 * EACH);
    close_two();
}

/* One connection that is always answered first waits for the other one after a while; but no longer than a millisecond. */
static void nobody_is_overtaken_for_long(void **state) {
    (void)state;
    for (int how = 0; how < 2; how++) {
        int times = 0;
        open_two();
        now_us += 200; /* they have had their time */
        do { /* twice, or once if it had its first calls before the other one */
            CHECK(times < 3);
            times++;
            ask_more((times + 1) * EACH, EACH);
            assert_int_equal(answer(0, EACH), times * EACH);
        } while (ends[0]->batched == EACH);
        CHECK(times > 1);
        if (how == 0) {
            now_us += 799;
            (void)answer(0, 0);
            assert_int_equal(ends[0]->batched, 0);
            now_us += 1;
            (void)answer(0, 0);
            assert_int_equal(ends[0]->batched, EACH);
        } else {
            (void)answer(1, EACH); /* that was what it waited for */
            assert_int_equal(ends[0]->batched + ends[1]->batched, EACH);
        }
        v->by_hand = false;
        for (int i = 0; i < 2; i++) if (ends[i]->batched != 0) (void)answer(i, ends[i]->batched);
        tick_us = 1000;
        run();
        assert_int_equal(answered(), (times + 2) * EACH);
        close_two();
    }
}

/* A connection that goes back serves the next session within the turn. */
static dbm_task_status in_a_session(dbm_task *t) {
    lone *x = dbm_task_data(t);
    static dbm_session s[MANY];
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &s[x->value]));
    DBM_AWAIT(t, dbm_async_query_one(&s[x->value], &x->row, "rows 1 x 2"));
    DBM_AWAIT(t, dbm_async_end(&s[x->value]));
    x->times++;
    DBM_TASK_END(t);
}
static void handed_over_in_a_turn(void **state) {
    static lone all[MANY];
    int turns = 0;
    (void)state;
    open_all("stepped", 1, true);
    memset(all, 0, sizeof all);
    for (int i = 0; i < MANY; i++) {
        all[i].value = i;
        CHECK(dbm_spawn(loop, in_a_session, &all[i]).loop != NULL);
    }
    while (all[MANY - 1].times == 0 && turns < 10 * MANY) {
        (void)dbm_loop_step(loop, 10);
        turns++;
    }
    printf("%d sessions: %d turns\n", MANY, turns);
    CHECK(turns <= MANY / 3);
    run();
    close_all();
}

/* A task that keeps the row of one call while it waits for another one has the only connection: it waits as long as for a session, and not for ever. */
static dbm_task_status ask_two(dbm_task *t) {
    lone *x = dbm_task_data(t);
    dbm_act *first;
    int64_t n = 0, m = 0;
    const char *text = NULL;
    DBM_TASK_BEGIN(t);
    first = dbm_async_query_one(db, &x[0].row, "rows 1 x 2");
    CHECK(first != NULL);
    DBM_AWAIT(t, dbm_async_sleep(t, 5));
    DBM_TRY_AWAIT(t, &x[1].rc, dbm_async_exec(db, "write"));
    CHECK_STATUS(x[1].rc, DBM_OK);
    first = dbm_async_query_one(db, &x[1].row, "rows 1 x 3");
    CHECK(first != NULL);
    DBM_AWAIT(t, dbm_async_sleep(t, 5));
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_query_one(db, &x[2].row, "rows 1 x 2"));
    CHECK_STATUS(x->rc, DBM_OK);
    CHECK(x[0].row != x[1].row && dbm_row_columns(x[0].row) == 2 && dbm_row_columns(x[1].row) == 3);
    CHECK(dbm_row_int(x[0].row, 1) == 1 && dbm_row_int(x[1].row, 2) == 2 && dbm_row_int(x[2].row, 1) == 1 && strcmp(dbm_row_text(x[1].row, 2), "2") == 0);
    CHECK(strcmp(dbm_row_name(x[1].row, 2), "c2") == 0 && dbm_row_index(x[1].row, "c1") == 1 && dbm_row_name(x[1].row, 3)[0] == 0);
    CHECK_STATUS(dbm_scan(x[0].row, &n, &m), DBM_OK);
    CHECK(n == 0 && m == 1);
    CHECK_STATUS(dbm_scan(x[0].row, &n), DBM_E_RANGE);
    CHECK(dbm_row_int(x[0].row, 2) == 0 && dbm_last_error()->status == DBM_E_RANGE && dbm_row_value(x[0].row, 1).type == DBM_TYPE_INT);
    text = dbm_doc_json(x[0].row);
    CHECK(text[0] == 0 && dbm_last_error()->status == DBM_E_UNSUPPORTED);
    x->times++;
    DBM_TASK_END(t);
}
static void rows_are_kept(void **state) {
    static const char *const forms[] = { "batched", "stepped", "scripted" };
    lone three[3];
    (void)state;
    pool_timeout_ms = 100;
    for (int f = 0; f < 3; f++) {
        for (int connections = 1; connections < 3; connections++) {
            open_all(forms[f], connections, false);
            memset(three, 0, sizeof three);
            CHECK(dbm_spawn(loop, ask_two, three).loop != NULL);
            run();
            CHECK(three[0].times == 1);
            close_all();
        }
    }
    pool_timeout_ms = 5000;
}

/* Rows of a call on a database that were read to their end need none of their own; one that is said all the same is well, and ends nobody else's. */
typedef struct row_reader { dbm_rows *rows; dbm_row *row; dbm_session s; int n, how; dbm_status rc; } row_reader;
static dbm_task_status ends_late(dbm_task *t) {
    row_reader *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_query(db, &x->rows, "rows 2 x 1"));
    DBM_AWAIT_ROW(t, x->rows, x->row) x->n++;
    DBM_AWAIT(t, dbm_async_rows_end(x->rows));
    DBM_AWAIT(t, dbm_async_sleep(t, 40));
    DBM_AWAIT(t, dbm_async_rows_end(x->rows));
    DBM_TASK_END(t);
}
static dbm_task_status reads_meanwhile(dbm_task *t) {
    row_reader *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_sleep(t, 20));
    if (x->how == 1) DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    if (x->how == 1) DBM_AWAIT(t, dbm_async_query(&x->s, &x->rows, "rows 3 x 1"));
    else DBM_AWAIT(t, dbm_async_query(db, &x->rows, "rows 3 x 1"));
    DBM_AWAIT_ROW(t, x->rows, x->row) if (x->n++ == 0) DBM_AWAIT(t, dbm_async_sleep(t, 60));
    DBM_TASK_END(t);
}
static void on_end_status(void *ud, dbm_status st, const dbm_error_info *error) {
    (void)error;
    *(dbm_status *)ud = st;
}
static void rows_end_once_more(void **state) {
    static const char *const forms[] = { "stepped", "scripted" };
    (void)state;
    for (int f = 0; f < 2; f++) {
        for (int how = 0; how < 2; how++) {
            row_reader a = { 0 }, b = { 0 };
            open_all(forms[f], 1, false);
            b.how = how;
            a.rc = b.rc = DBM_E_LEAKED;
            (void)dbm_spawn_opt(loop, ends_late, &a, .on_end = on_end_status, .on_end_ud = &a.rc);
            (void)dbm_spawn_opt(loop, reads_meanwhile, &b, .on_end = on_end_status, .on_end_ud = &b.rc);
            run();
            CHECK_STATUS(a.rc, DBM_OK);
            CHECK_STATUS(b.rc, DBM_OK);
            CHECK(a.n == 2 && b.n == 3);
            close_all();
        }
    }
}

/* The connection is lost under a batch whose last call was refused before it was sent: that one is told its own failure, and nothing stays behind. */
static void refused_and_lost(void **state) {
    told t[3];
    (void)state;
    for (int how = 0; how < 3; how++) { /* on a session in autocommit that writes, on one whose calls go again, on a database */
        dbm_shared *on;
        open_all("batched", 1, false);
        on = dbm_async_on(loop, db);
        if (how < 2) begin(how == 0);
        for (int round = 0; round < 2; round++) {
            memset(t, 0, sizeof t);
            if (round == 1) (void)plan(v, DBM_OP_RECEIVE, 1, LOSE);
            for (int i = 0; i < 3; i++) {
                const char *text = i == 2 ? "rows 1 x 2 :n" : how == 0 ? "rows 1 x 2 write" : "rows 1 x 2";
                dbm_value n = dbm_named(i == 2 && round == 0 ? "n" : "unknown", dbm_int(1)); /* its name is wrong, the second time */
                if (how < 2) CHECK_STATUS(i < 2 ? dbm_async_query_one_cb(&session, &t[i].row, fn, &t[i], text) : dbm_async_query_one_cb(&session, &t[i].row, fn, &t[i], text, n), DBM_OK);
                else CHECK_STATUS(i < 2 ? dbm_async_query_one_cb(on, &t[i].row, fn, &t[i], text) : dbm_async_query_one_cb(on, &t[i].row, fn, &t[i], text, n), DBM_OK);
            }
            run();
            for (int i = 0; i < 3; i++) CHECK(t[i].times == 1);
            if (round == 0 && how < 2) {
                memset(t, 0, sizeof t);
                CHECK_STATUS(dbm_async_rollback_cb(&session, fn, &t[0]), DBM_OK);
                run();
            }
        }
        plan_clear(v);
        CHECK_STATUS(t[0].status, how == 0 ? DBM_E_IN_DOUBT : DBM_OK); /* it was sent again */
        CHECK_STATUS(t[2].status, DBM_E_MISUSE);
        CHECK(strstr(t[2].message, "unknown") != NULL);
        if (how < 2) {
            told e = { 0 };
            CHECK_STATUS(dbm_async_end_cb(&session, fn, &e), DBM_OK);
            run();
        }
        close_all();
        CHECK(test_heap_live(&heap) == 0);
    }
}

/* One that waits behind a slow one for longer than pool_timeout is among the time-outs that dbm_stats() counts. */
static void late_calls_are_counted(void **state) {
    lone two[2];
    (void)state;
    pool_timeout_ms = 100;
    open_all("stepped", 1, false);
    memset(two, 0, sizeof two);
    plan_delay(v, DBM_OP_EXECUTE, 1, 600000);
    CHECK(dbm_spawn(loop, ask_once, &two[0]).loop != NULL);
    CHECK(dbm_spawn(loop, ask_once, &two[1]).loop != NULL);
    run();
    CHECK_STATUS(two[0].rc, DBM_OK);
    CHECK_STATUS(two[1].rc, DBM_E_POOL_TIMEOUT);
    CHECK(stats_of(db).timeouts == 1); /* of what waited in the pool for it */
    pool_timeout_ms = 5000;
    close_all();
}

/* What stands for a database lives as long as the loop: also in what its end still tells. */
static dbm_shared *named;
static dbm_status late_status;
static void fn_late(void *ud, dbm_status status) {
    fn(ud, status);
    late_status = dbm_async_exec_cb(named, fn, NULL, "write");
}
static void a_name_lives_as_long_as_its_loop(void **state) {
    told t;
    (void)state;
    for (int warm = 0; warm < 2; warm++) {
        open_all("stepped", 2, false);
        named = dbm_async_on(loop, db);
        CHECK(named != NULL);
        begin(false);
        memset(&t, 0, sizeof t);
        if (warm) {
            CHECK_STATUS(dbm_async_exec_cb(named, fn, &t, "write"), DBM_OK);
            run();
            memset(&t, 0, sizeof t);
        }
        plan_delay(v, DBM_OP_EXECUTE, 1, 20000);
        CHECK_STATUS(dbm_async_exec_cb(&session, fn_late, &t, "write"), DBM_OK);
        for (int i = 0; i < 3; i++) (void)dbm_loop_step(loop, 0);
        session.slot = NULL;
        close_all();
        CHECK(t.times == 1);
        CHECK_STATUS(late_status, DBM_E_CLOSED);
    }
}

/* A manager that is freed before its loop: what is under way is told that it is closed, and the loop, which goes last, takes the memory with it. */
static void the_manager_goes_first(void **state) {
    told t = { 0 }, late = { 0 };
    dbm_row *row;
    (void)state;
    open_all("batched", 1, false);
    named = dbm_async_on(loop, db);
    CHECK_STATUS(dbm_async_query_one_cb(named, &row, fn, &t, "rows 1 x 1"), DBM_OK);
    run();
    CHECK_STATUS(t.status, DBM_OK);
    CHECK_STATUS(dbm_async_exec_cb(named, fn, &late, "write"), DBM_OK);
    dbm_manager_free(mgr);
    run();
    CHECK(late.times == 1 && server_live(v) == 0);
    CHECK_STATUS(late.status, DBM_E_CLOSED);
    t.row = NULL;
    CHECK_STATUS(dbm_async_exec_cb(named, fn, &t, "write"), DBM_OK);
    CHECK(test_heap_live(&heap) != 0);
    dbm_loop_free(loop);
    CHECK(test_heap_live(&heap) == 0 && t.times == 2);
    CHECK_STATUS(t.status, DBM_E_CANCELLED);
    (void)server_end_all();
}

/* A thread of the pool's that was about to wake the loop when it went: the last word of that one finds it, and what stands for the database is freed. */
static void *wakes_late(void *ud) {
    dbm__taker *by = (dbm__taker *)ud;
    pause_us(50000);
    by->wake(by->ud);
    dbm__store_release(&by->waking, 0);
    return NULL;
}
static void a_wake_that_comes_late(void **state) {
    pthread_t thread;
    dbm__taker *by;
    (void)state;
    open_all("stepped", 1, false);
    by = (dbm__taker *)(void *)dbm_async_on(loop, db); /* its first field */
    CHECK(by != NULL && by->db == db);
    dbm__store(&by->waking, 1);
    CHECK(pthread_create(&thread, NULL, wakes_late, by) == 0);
    close_all();
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(test_heap_live(&heap) == 0);
}

/* Rows of a call on a database end with the last one, and their connection goes to whoever waits for it: what the task then does must not reach the rows that
 * another loop reads on it: which ThreadSanitizer alone can see, so nothing here orders the two. */
typedef struct other_reader { dbm_session s; dbm_rows *rows; dbm_row *row; int count; int64_t sum; dbm_status status; } other_reader;
static int second_reads, first_is_through, was_run;
static dbm_task_status reads_first(dbm_task *t) {
    other_reader *x = (other_reader *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_query(db, &x->rows, "rows 1 x 1"));
    DBM_AWAIT_ROW(t, x->rows, x->row) x->count++;
    __atomic_store_n(&first_is_through, 1, __ATOMIC_RELAXED);
    DBM_TASK_END(t);
}
static dbm_task_status reads_second(dbm_task *t) {
    other_reader *x = (other_reader *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    DBM_AWAIT(t, dbm_async_query(&x->s, &x->rows, "rows 5 x 1"));
    DBM_AWAIT_ROW(t, x->rows, x->row) {
        x->sum += dbm_row_int(x->row, 0);
        if (x->count++ == 0) {
            __atomic_store_n(&second_reads, 1, __ATOMIC_RELAXED);
            UNTIL(__atomic_load_n(&first_is_through, __ATOMIC_RELAXED) != 0);
        }
    }
    DBM_TASK_END(t);
}
static void *second_loop(void *ud) {
    dbm_loop *own;
    CHECK_STATUS(dbm_loop_create(&own, mgr, NULL), DBM_OK);
    CHECK(dbm_spawn(own, reads_second, ud).loop != NULL);
    CHECK_STATUS(dbm_loop_run(own, 20000), DBM_OK);
    dbm_loop_free(own);
    return NULL;
}
static dbm_status is_run(dbm_session *on, void *ud) {
    (void)on;
    (void)ud;
    __atomic_store_n(&was_run, 1, __ATOMIC_RELEASE);
    return DBM_OK;
}
static void waits_for_the_second(void *ud, dbm_status status) { /* told before the first one goes on, whose connection is on its way already */
    CHECK_STATUS(status, DBM_OK);
    *(int *)ud = 1;
    UNTIL(__atomic_load_n(&second_reads, __ATOMIC_RELAXED) != 0);
}
static void rows_of_another_loop(void **state) {
    dbm_session beside;
    dbm_database *db2;
    dbm_config config;
    pthread_t thread;
    other_reader x, y;
    int waited = 0;
    told t = { 0 };
    (void)state;
    memset(&x, 0, sizeof x);
    memset(&y, 0, sizeof y);
    memset(&beside, 0, sizeof beside);
    memset(&config, 0, sizeof config);
    open_all("scripted", 1, false);
    config.name = "beside";
    db2 = server_add(mgr, server_make(), "scripted", &config);
    CHECK_STATUS(dbm_async_session_cb(loop, db2, NULL, &beside, fn, &t), DBM_OK);
    run();
    (void)plan(v, DBM_OP_FETCH, 2, BLOCK);
    CHECK(dbm_spawn(loop, reads_first, &x).loop != NULL);
    while (__atomic_load_n(&v->blocked, __ATOMIC_RELAXED) == 0) (void)dbm_loop_step(loop, 1);
    CHECK(pthread_create(&thread, NULL, second_loop, &y) == 0);
    UNTIL(stats_of(db).waiting == 1);
    CHECK_STATUS(dbm_async_run_cb(&beside, is_run, NULL, waits_for_the_second, &waited), DBM_OK);
    UNTIL(__atomic_load_n(&was_run, __ATOMIC_ACQUIRE) != 0);
    pause_us(20000); /* both answers are there in one turn, that one first */
    server_release(v);
    pause_us(20000);
    run();
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(waited == 1 && x.count == 1);
    if (y.count != 5 || y.sum != 1000) fail_msg("%d rows, their sum %d", y.count, (int)y.sum);
    CHECK_STATUS(dbm_async_end_cb(&beside, fn, &t), DBM_OK);
    run();
    close_all();
}

/* What goes on a worker behind calls that went together waits until these were told: what a session shows is theirs meanwhile. */
static int64_t shown[3];
static void fn_slow(void *ud, dbm_status status) {
    told *t = (told *)ud;
    fn(ud, status);
    shown[t->value] = dbm_last_id(&session);
    pause_us(30000); /* the worker is through, if it could begin */
}
static dbm_status writes_there(dbm_session *s, void *ud) {
    dbm_status st = dbm_exec(s, "write");
    *(int64_t *)ud = dbm_last_id(s);
    return st;
}
static void a_run_behind_a_batch(void **state) {
    told t[3];
    int64_t inside = 0;
    (void)state;
    open_all("batched", 1, false);
    begin(false);
    memset(t, 0, sizeof t);
    for (int i = 0; i < 3; i++) t[i].value = i;
    CHECK_STATUS(dbm_async_exec_cb(&session, NULL, NULL, "write"), DBM_OK);
    run();
    for (int i = 0; i < 2; i++) CHECK_STATUS(dbm_async_exec_cb(&session, fn_slow, &t[i], "write"), DBM_OK);
    CHECK_STATUS(dbm_async_run_cb(&session, writes_there, &inside, fn_slow, &t[2]), DBM_OK);
    run();
    for (int i = 0; i < 3; i++) CHECK(t[i].times == 1 && t[i].status == DBM_OK && shown[i] == 2 + i);
    CHECK(inside == 4);
    end(DBM_OK);
    close_all();
}

const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_send_for_a_turn), cmocka_unit_test(ends_behind_a_batch), cmocka_unit_test(one_that_fails), cmocka_unit_test(calls_share_connections), cmocka_unit_test(each_for_itself),
    cmocka_unit_test(cancelled_cancels_nobody_else), cmocka_unit_test(nobody_waits), cmocka_unit_test(in_doubt_once), cmocka_unit_test(cancelled_while_prepared), cmocka_unit_test(freed_at_every_turn),
    cmocka_unit_test(without_memory), cmocka_unit_test(others_get_connections), cmocka_unit_test(a_connection_comes_back),
    cmocka_unit_test(behind_a_slow_one), cmocka_unit_test(in_line_with_threads), cmocka_unit_test(answers_are_gathered), cmocka_unit_test(cut_short_while_gathered),
    cmocka_unit_test(as_many_each), cmocka_unit_test(nobody_is_overtaken_for_long), cmocka_unit_test(handed_over_in_a_turn), cmocka_unit_test(refused_and_lost), cmocka_unit_test(late_calls_are_counted),
    cmocka_unit_test(rows_are_kept), cmocka_unit_test(a_name_lives_as_long_as_its_loop), cmocka_unit_test(the_manager_goes_first),
    cmocka_unit_test(rows_end_once_more),
    cmocka_unit_test(a_wake_that_comes_late), cmocka_unit_test(rows_of_another_loop), cmocka_unit_test(a_run_behind_a_batch)
};
int main(void) { return cmocka_run_group_tests(tests, NULL, NULL); }
