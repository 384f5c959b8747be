/* Asynchronous sessions on a scripted server: whatever fails, at whichever operation, they answer and leave behind what the synchronous ones do. Each plan
 * is run through both, and statuses, messages, rows, and what the server saw are compared. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"
#include "integration/awaited.h"

enum { STEPS = 40 };
typedef struct outcome { dbm_status step[STEPS]; int steps, rows; char words[STEPS][200], log[8192]; int64_t affected; dbm_status end; dbm_stats_info stats; } outcome;
typedef struct shape { const char *form; bool as_sql, no_prepare, write_first, timer_first, autocommit, read_only, full; int timeout_ms; bool bulk, each_row; int window, bad; } shape;

static bool async_side;
static dbm_manager *mgr;
static dbm_database *db;
static server *v;

static dbm_status note(outcome *o, dbm_status st) {
    if (o->steps == STEPS) fail_msg("too many steps");
    o->step[o->steps] = st;
    o->words[o->steps][0] = 0;
    if (st != DBM_OK && st != DBM_DONE) { /* but the place, and how long it took */
        (void)snprintf(o->words[o->steps], sizeof o->words[0], "%.180s", dbm_last_error()->message);
    }
    o->steps++;
    return st;
}
static dbm_status exec(dbm_session *s, const char *sql) {
    return async_side ? awaited_statement(s, DBM__ASYNC_EXEC, NULL, "here", sql, "") : dbm__exec(s, "here", sql, "");
}
static dbm_status one(dbm_session *s, dbm_row **row, const char *sql) {
    return async_side ? awaited_statement(s, DBM__ASYNC_ONE, row, "here", sql, "") : dbm__query_one(s, row, "here", sql, "");
}
static dbm_status query(dbm_session *s, dbm_rows **rows, const char *sql) {
    return async_side ? awaited_statement(s, DBM__ASYNC_QUERY, rows, "here", sql, "") : dbm__query(s, rows, "here", sql, "");
}
static dbm_status next(dbm_rows *rows, dbm_row **row) {
    awaited a = { 0 };
    dbm_status st;
    if (!async_side) return dbm_rows_next(rows, row);
    if (dbm__async_row(NULL, rows, row)) return DBM_OK;
    st = awaited_wait(&a, dbm_async_next_cb(rows, row, awaited_fn, &a));
    return st == DBM_OK && *row == NULL ? DBM_DONE : st;
}
static dbm_status rows_end(dbm_rows *rows) {
    awaited a = { 0 };
    if (async_side) return rows->row.open ? awaited_wait(&a, dbm_async_rows_end_cb(rows, awaited_fn, &a)) : DBM_OK;
    dbm_rows_end(rows);
    return DBM_OK;
}
static dbm_status step(dbm_session *s, dbm__async_kind kind) {
    if (async_side) return awaited_step(s, kind);
    return kind == DBM__ASYNC_COMMIT ? dbm_commit(s) : dbm_rollback(s);
}

static void leave(outcome *o, dbm_session *s) {
    if (async_side) {
        (void)note(o, awaited_step(s, DBM__ASYNC_END));
    } else {
        dbm__work *w = (dbm__work *)s->slot;
        dbm_status st;
        (void)dbm__block_commit(s);
        st = o->end;
        if (st != DBM_OK && st != DBM_ROLLED_BACK) (void)dbm__level_again(&w->base);
        (void)note(o, st == DBM_ROLLED_BACK ? DBM_OK : st);
        if (s->slot != NULL) dbm__block_end(s);
    }
}

static void work(outcome *o, const shape *f) {
    dbm_session s;
    dbm_session_options options;
    dbm_row *row;
    dbm_rows *rows;
    memset(&options, 0, sizeof options);
    options.autocommit = f->autocommit;
    options.read_only = f->read_only;
    options.timeout_ms = f->timeout_ms;
    options.status = &o->end;
    if (async_side) (void)note(o, awaited_begin(db, &options, &s));
    else (void)note(o, dbm_session_begin(db, &options, &s));
    if (s.slot == NULL) return;
    (void)note(o, exec(&s, f->read_only ? "rows 1 x 1" : "write"));
    if (note(o, query(&s, &rows, "rows 3 x 2")) == DBM_OK) {
        while (note(o, next(rows, &row)) == DBM_OK) {
            o->rows++;
            if (o->rows == 2) (void)note(o, exec(&s, f->read_only ? "rows 2 x 1" : "write inside"));
            if (dbm_row_int(row, 0) % 100 > 50) o->rows += 100;
        }
        (void)note(o, rows_end(rows));
    }
    (void)note(o, one(&s, &row, "rows 2 x 1 text"));
    if (row != NULL) o->rows += (int)strlen(dbm_row_text(row, 0));
    (void)note(o, one(&s, &row, "rows 0 x 1"));
    (void)note(o, step(&s, DBM__ASYNC_COMMIT));
    if (!f->read_only) (void)note(o, exec(&s, "rows 2 x 1 write"));
    (void)note(o, exec(&s, "set x"));
    o->affected = dbm_affected(&s);
    (void)note(o, step(&s, DBM__ASYNC_ROLLBACK));
    (void)note(o, exec(&s, f->read_only ? "rows 1 x 1" : "write last"));
    (void)note(o, query(&s, &rows, "rows 5 x 1")); /* open when it ends */
    leave(o, &s);
}

/* ---- rows in bulk ---- */

static void skipped(void *ud, int64_t row, const dbm_error_info *error) {
    outcome *o = (outcome *)ud;
    CHECK(error->status != DBM_OK);
    o->rows += 1000 + (int)row;
}
static dbm_status bulk_begin(dbm_session *s, dbm_bulk **b, const dbm_bulk_options *options) {
    return async_side ? awaited_bulk_begin(s, b, "t", "a,b", options, "here") : dbm__bulk_begin(s, b, "t", "a,b", options, "here");
}
static dbm_status bulk_row(dbm_bulk *b, int a) {
    dbm_value values[2];
    values[0] = dbm_int(a);
    values[1] = dbm_text("x");
    return async_side ? awaited_bulk_call(b, DBM__ASYNC_BULK_ROWS, values, 2, NULL, 1, "row") : dbm__bulk_rowv("row", b, values, 2);
}
static dbm_status bulk_columns(dbm_bulk *b, int *ids, size_t rows) {
    const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(ids) };
    return async_side ? awaited_bulk_columns(b, columns, 2, rows) : dbm_bulk_columns(b, columns, 2, rows);
}
static dbm_status bulk_over(dbm_bulk *b, dbm__async_kind kind) {
    if (async_side) return awaited_bulk_call(b, kind, NULL, 0, NULL, 0, "over");
    return kind == DBM__ASYNC_BULK_END ? dbm_bulk_end(b) : dbm_bulk_abandon(b);
}

/* All ways of a bulk in one session: after a statement, as the first one of a transaction, dropped, left open; and what clears a failure. */
static void bulk_work(outcome *o, const shape *f) {
    dbm_session s;
    dbm_session_options options;
    dbm_bulk_options each;
    dbm_bulk *b;
    int ids[10], i, way;
    memset(&options, 0, sizeof options);
    memset(&each, 0, sizeof each);
    options.autocommit = f->autocommit;
    options.timeout_ms = f->timeout_ms;
    options.status = &o->end;
    each.each_row = f->each_row;
    each.failed = skipped;
    each.failed_ud = o;
    for (i = 0; i < 10; i++) ids[i] = i;
    if (async_side) (void)note(o, awaited_begin(db, &options, &s));
    else (void)note(o, dbm_session_begin(db, &options, &s));
    if (s.slot == NULL) return;
    for (way = 0; way < 4; way++) {
        dbm_status st = DBM_OK;
        if (way != 1) (void)note(o, exec(&s, "write"));
        if (note(o, bulk_begin(&s, &b, &each)) == DBM_OK) {
            for (i = 0; i < 6 && st == DBM_OK; i++) st = bulk_row(b, i);
            (void)note(o, st);
            if (way < 2) (void)note(o, bulk_columns(b, ids, 10));
            if (way == 3) break; /* it is open at the end */
            (void)note(o, bulk_over(b, way == 2 ? DBM__ASYNC_BULK_ABANDON : DBM__ASYNC_BULK_END));
        }
        o->affected = dbm_affected(&s);
        if (((dbm__work *)s.slot)->slot.connection.broken) break;
        (void)note(o, dbm_clear_error(&s));
        if (way == 0) (void)note(o, step(&s, DBM__ASYNC_COMMIT));
        if (way == 1 && f->full) (void)note(o, step(&s, DBM__ASYNC_ROLLBACK));
    }
    leave(o, &s);
}

static void run_side(outcome *o, const shape *f, int kind, int nth, plan_action action, dbm_status status) {
    dbm_config config;
    memset(o, 0, sizeof *o);
    memset(&config, 0, sizeof config);
    config.pool.size = 2;
    config.pool.max_overflow = -1;
    config.pool.timeout_ms = 5000;
    config.pool.reset_on_return = f->full ? DBM_RESET_FULL : DBM_RESET_DEFAULT;
    config.pool.pre_ping = DBM_PRE_PING_OFF; /* that looks at the clock */
    config.statement_cache = f->no_prepare ? -1 : 0;
    config.init_sql = f->full ? "set init" : NULL;
    v = server_make();
    v->as_sql = f->as_sql;
    v->no_prepare = f->no_prepare;
    v->write_first = f->write_first;
    v->timer_first = f->timer_first;
    v->bulk_window = f->window;
    mgr = server_manager(NULL);
    db = server_add(mgr, v, f->form, &config);
    if (async_side) awaited_open(mgr);
    (f->bulk ? bulk_work : work)(o, f); /* warm: statements are known then */
    memset(o, 0, sizeof *o);
    log_clear(v);
    if (kind >= 0) {
        plan_entry *e = plan(v, kind, nth, action);
        if (action == FAIL) {
            e->status = status;
            (void)snprintf(e->sqlstate, sizeof e->sqlstate, "%s", status == DBM_E_SERIALIZATION ? "40001" : "");
        }
    }
    if (kind == DBM_OP_CONNECT) server_kill(v, 0);
    v->bulk_bad = f->bad;
    (f->bulk ? bulk_work : work)(o, f);
    plan_clear(v);
    (void)snprintf(o->log, sizeof o->log, "%s", log_text(v));
    if (async_side) awaited_close();
    o->stats = stats_of(db);
    CHECK(o->stats.out == 0 && o->stats.connecting == 0 && o->stats.waiting == 0 && o->stats.idle == o->stats.open);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    CHECK(server_live(v) == 0);
    (void)server_end_all();
}

static int compared;
static void compare(const shape *f, int kind, int nth, plan_action action, dbm_status status) {
    static outcome sync_o, async_o;
    char what[200];
    async_side = false;
    run_side(&sync_o, f, kind, nth, action, status);
    async_side = true;
    run_side(&async_o, f, kind, nth, action, status);
    (void)snprintf(what, sizeof what, "%s%s%s%s%s%s%s, kind %d, call %d, action %d, %s", f->form, f->as_sql ? " as_sql" : "", f->no_prepare ? " no_prepare" : "",
                   f->write_first ? " write_first" : "", f->autocommit ? " autocommit" : "", f->read_only ? " read_only" : "", f->full ? " full" : "", kind, nth, (int)action,
                   dbm_status_name(status));
    for (int i = 0; i < sync_o.steps || i < async_o.steps; i++) {
        if (sync_o.step[i] != async_o.step[i] || strcmp(sync_o.words[i], async_o.words[i]) != 0) {
            fail_msg("%s: step %d: sync %s (%s), async %s (%s)\n  sync  %s\n  async %s", what, i, dbm_status_name(sync_o.step[i]), sync_o.words[i], dbm_status_name(async_o.step[i]),
                     async_o.words[i], sync_o.log, async_o.log);
        }
    }
    if (strcmp(sync_o.log, async_o.log) != 0) fail_msg("%s: the server saw\n  sync  %s\n  async %s", what, sync_o.log, async_o.log);
    if (sync_o.rows != async_o.rows || sync_o.affected != async_o.affected) fail_msg("%s: %d rows and %d", what, sync_o.rows, async_o.rows);
    if (sync_o.end != async_o.end) fail_msg("%s: the outcome is %s and %s", what, dbm_status_name(sync_o.end), dbm_status_name(async_o.end));
    if (sync_o.stats.in_doubt != async_o.stats.in_doubt || sync_o.stats.broken != async_o.stats.broken || sync_o.stats.connects != async_o.stats.connects) {
        fail_msg("%s: in doubt %d and %d, broken %d and %d", what, (int)sync_o.stats.in_doubt, (int)async_o.stats.in_doubt, (int)sync_o.stats.broken, (int)async_o.stats.broken);
    }
    compared++;
}

static const shape shapes[] = {
    { .form = "stepped" }, { .form = "stepped", .as_sql = true }, { .form = "stepped", .no_prepare = true, .write_first = true }, { .form = "stepped", .autocommit = true },
    { .form = "stepped", .read_only = true, .timer_first = true }, { .form = "stepped", .full = true }, { .form = "stepped", .timeout_ms = 30000 },
    { .form = "piped" }, { .form = "scripted" }, { .form = "serial" }, { .form = "socketed", .autocommit = true },
};
enum { SHAPES = (int)(sizeof shapes / sizeof shapes[0]) };

static void every_failure(void **state) {
    static const int kinds[] = { DBM_OP_BEGIN, DBM_OP_COMMIT, DBM_OP_ROLLBACK, DBM_OP_PREPARE, DBM_OP_EXECUTE, DBM_OP_FETCH, DBM_OP_HOLD, DBM_OP_FINISH, DBM_OP_RESET };
    static const dbm_status statuses[] = { DBM_E_SQL, DBM_E_LOST, DBM_E_SERIALIZATION };
    (void)state;
    compared = 0;
    for (int i = 0; i < SHAPES; i++) {
        compare(&shapes[i], -1, 0, FAIL, DBM_OK);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            for (int nth = 1; nth <= 9; nth++) {
                if (nth > 3 && kinds[k] != DBM_OP_EXECUTE && kinds[k] != DBM_OP_FETCH) break;
                for (size_t s = 0; s < sizeof statuses / sizeof statuses[0]; s++) if (nth < 4 || statuses[s] == DBM_E_LOST) compare(&shapes[i], kinds[k], nth, FAIL, statuses[s]);
                if (nth > 6) continue;
                compare(&shapes[i], kinds[k], nth, LOSE, DBM_OK);
                if (kinds[k] != DBM_OP_FINISH) compare(&shapes[i], kinds[k], nth, REFUSE, DBM_OK);
            }
        }
    }
    print_message("%d plans\n", compared);
}

static const shape bulks[] = {
    { .form = "stepped", .window = 4 }, { .form = "stepped", .window = 4, .autocommit = true }, { .form = "stepped", .window = 4, .bad = 3 }, { .form = "stepped", .window = 4, .timeout_ms = 30000, .full = true },
    { .form = "stepped", .window = 3, .each_row = true, .bad = 2, .write_first = true }, { .form = "stepped" }, { .form = "stepped", .each_row = true }, { .form = "piped", .window = 4, .bad = 5, .timer_first = true },
    { .form = "scripted", .window = 4, .bad = 3 }, { .form = "scripted", .each_row = true }, { .form = "serial", .window = 1 }, { .form = "socketed", .autocommit = true, .window = 4, .bad = 9 },
};

static void every_failure_of_a_bulk(void **state) {
    static const int kinds[] = { DBM_OP_BEGIN, DBM_OP_COMMIT, DBM_OP_ROLLBACK, DBM_OP_SAVEPOINT, DBM_OP_RELEASE, DBM_OP_ROLLBACK_TO, DBM_OP_PREPARE, DBM_OP_EXECUTE, DBM_OP_BULK, DBM_OP_BULK_SEND, DBM_OP_BULK_END };
    static const dbm_status statuses[] = { DBM_E_SQL, DBM_E_LOST, DBM_E_CONSTRAINT };
    (void)state;
    compared = 0;
    for (size_t i = 0; i < sizeof bulks / sizeof bulks[0]; i++) {
        shape f = bulks[i];
        f.bulk = true;
        compare(&f, -1, 0, FAIL, DBM_OK);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            for (int nth = 1; nth <= 9; nth++) {
                if (nth > 3 && kinds[k] != DBM_OP_BULK_SEND && kinds[k] != DBM_OP_EXECUTE) break;
                for (size_t s = 0; s < sizeof statuses / sizeof statuses[0]; s++) if (nth < 4 || statuses[s] == DBM_E_LOST) compare(&f, kinds[k], nth, FAIL, statuses[s]);
                if (nth > 6) continue;
                compare(&f, kinds[k], nth, LOSE, DBM_OK);
                compare(&f, kinds[k], nth, REFUSE, DBM_OK);
            }
        }
    }
    print_message("%d plans\n", compared);
}

/* The loop goes while a session of the callback form begins on a worker: nobody could end it, so it is not begun. */
static void the_loop_goes_while_one_begins(void **state) {
    static const int kinds[] = { DBM_OP_CONNECT, DBM_OP_BEGIN, DBM_OP_BEGIN };
    (void)state;
    for (int i = 0; i < 3; i++) {
        dbm_session s;
        dbm_session_options options;
        awaited a = { 0 };
        plan_entry *e;
        long before;
        memset(&options, 0, sizeof options);
        options.transaction = i > 0;
        v = server_make();
        mgr = server_manager(NULL);
        db = server_add(mgr, v, "scripted", NULL);
        if (options.transaction) db->transactions_asked = true; /* BEGIN is sent with the session */
        awaited_open(mgr);
        if (i > 0) assert_int_equal(dbm_exec(db, "set x"), DBM_OK); /* a connection is there */
        e = plan(v, kinds[i], 1, DELAY);
        e->delay_us = 100000;
        v->deaf = i == 2; /* BEGIN then succeeds */
        before = server_count(v, kinds[i]);
        assert_int_equal(dbm_async_session_cb(awaited_loop, db, &options, &s, awaited_fn, &a), DBM_OK);
        while (server_count(v, kinds[i]) == before) (void)dbm_loop_step(awaited_loop, 1);
        awaited_close();
        assert_true(a.over);
        assert_int_equal(a.status, i == 1 ? DBM_E_CANCELLED : DBM_E_CLOSED);
        assert_null(s.slot);
        assert_int_equal(stats_of(db).out, 0);
        CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
        dbm_manager_free(mgr);
        (void)server_end_all();
    }
}

/* ---- a server that never answers ---- */

enum { GRACE_MS = 200 };
typedef struct stuck { dbm_session s; int told; dbm_status status; } stuck;
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    stuck *x = (stuck *)ud;
    (void)error;
    x->told++;
    x->status = status;
}
static dbm_task_status gets_stuck(dbm_task *t) {
    stuck *x = (stuck *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    DBM_AWAIT(t, dbm_async_sleep(t, 50));
    DBM_AWAIT(t, dbm_async_commit(&x->s));
    DBM_AWAIT(t, dbm_async_sleep(t, 60000));
    DBM_TASK_END(t);
}

/* Whichever call it is that gets no answer, and whether or not it can be cancelled: the loop is free within the grace period and the second that a cancel has. */
static void the_server_is_silent(void **state) {
    static const int kinds[] = { DBM_OP_CONNECT, DBM_OP_BEGIN, DBM_OP_EXECUTE, DBM_OP_COMMIT, DBM_OP_ROLLBACK, DBM_OP_RESET };
    static const char *const forms[] = { "stepped", "uncancelled" };
    (void)state;
    for (int i = 0; i < 4 * (int)(sizeof kinds / sizeof kinds[0]); i++) {
        dbm_adapter uncancelled = adapter_stepped;
        dbm_options options;
        dbm_config config;
        dbm_loop *loop;
        stuck x;
        int kind = kinds[i / 4];
        int64_t from;
        memset(&options, 0, sizeof options);
        memset(&config, 0, sizeof config);
        memset(&x, 0, sizeof x);
        options.grace_ms = GRACE_MS;
        config.pool.reset_on_return = DBM_RESET_FULL;
        config.connect_timeout_ms = 60000;
        uncancelled.type = forms[1];
        uncancelled.cancel = NULL;
        v = server_make();
        v->step_poll = i % 4 >= 2;
        mgr = server_manager(&options);
        CHECK_STATUS(dbm_register(mgr, &uncancelled), DBM_OK);
        db = server_add(mgr, v, forms[i % 2], &config);
        CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
        (void)plan(v, kind, 1, DROP);
        CHECK(dbm_spawn_opt(loop, gets_stuck, &x, .on_end = on_end, .on_end_ud = &x).loop != NULL);
        CHECK_STATUS(dbm_loop_run(loop, kind == DBM_OP_ROLLBACK ? 30 : 100), DBM_E_TIMEOUT);
        from = real_us();
        dbm_loop_free(loop);
        from = real_us() - from;
        if (from > (GRACE_MS + 1000 + 1000) * INT64_C(1000)) fail_msg("%s, kind %d: freed after %d us", forms[i % 2], kind, (int)from);
        CHECK(x.told == 1);
        if (x.status != (kind == DBM_OP_COMMIT ? DBM_E_IN_DOUBT : DBM_E_CLOSED)) fail_msg("%s, kind %d: %s", forms[i % 2], kind, dbm_status_name(x.status));
        CHECK(stats_of(db).out == 0 && stats_of(db).connecting == 0 && stats_of(db).idle == stats_of(db).open);
        CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
        dbm_manager_free(mgr);
        CHECK(server_live(v) == 0);
        (void)server_end_all();
    }
}

typedef struct given_up { dbm_session s; dbm_bulk *b; bool bulk; dbm_status rc, status; int told; } given_up;
static void on_given_up(void *ud, dbm_status status, const dbm_error_info *error) {
    given_up *x = (given_up *)ud;
    (void)error;
    x->told++;
    x->status = status;
}
static dbm_task_status gives_up(dbm_task *t) {
    given_up *x = (given_up *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    if (x->bulk) {
        DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "t", "a,b"));
        DBM_AWAIT(t, dbm_async_bulk_row(x->b, 1, "x"));
        DBM_TRY_AWAIT_WITHIN(t, 50, &x->rc, dbm_async_bulk_abandon(x->b));
    } else {
        DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
        DBM_TRY_AWAIT_WITHIN(t, 50, &x->rc, dbm_async_rollback(&x->s));
    }
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    DBM_AWAIT(t, dbm_async_commit(&x->s));
    DBM_TASK_END(t);
}

/* A ROLLBACK that nobody answers, given up by who awaits it: what follows in the session does not meet its connection. */
static void a_rollback_is_given_up(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        dbm_options options;
        dbm_loop *loop;
        given_up x;
        memset(&options, 0, sizeof options);
        memset(&x, 0, sizeof x);
        options.grace_ms = GRACE_MS;
        x.bulk = i == 1;
        v = server_make();
        v->bulk_window = 4;
        mgr = server_manager(&options);
        db = server_add(mgr, v, "stepped", NULL);
        CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
        (void)plan(v, DBM_OP_ROLLBACK, 1, DROP);
        CHECK(dbm_spawn_opt(loop, gives_up, &x, .on_end = on_given_up, .on_end_ud = &x).loop != NULL);
        CHECK_STATUS(dbm_loop_run(loop, 5000), DBM_OK);
        dbm_loop_free(loop);
        CHECK(x.told == 1);
        assert_int_equal(x.status, DBM_OK);
        assert_int_equal(stats_of(db).connects, 2);
        CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
        dbm_manager_free(mgr);
        CHECK(server_live(v) == 0);
        (void)server_end_all();
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failure), cmocka_unit_test(every_failure_of_a_bulk), cmocka_unit_test(the_loop_goes_while_one_begins), cmocka_unit_test(the_server_is_silent),
                                         cmocka_unit_test(a_rollback_is_given_up) };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
