/* The calls of api/async.h, as requests of a session or of a database.
 * May call: api/, base/, adapter/, pool/, sql/, session/, data/, manager/, async.h, side.h.
 * Must not know: when and where they are run. */
#include "side.h"
#include "../data/data.h"
#if DBM_HAS_ASYNC

DBM__DEF dbm_act *dbm__async_session_on(dbm_task *t, dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site) {
    return t != NULL || dbm__task_given(t, "dbm_async_session", site) != NULL ? dbm__async_open(dbm__task_loop(t), t, db, options, out, NULL, NULL, site) : NULL;
}

DBM__DEF dbm_act *dbm__async_session(dbm_task *t, const char *name, const dbm_session_options *options, dbm_session *out, const char *site) {
    dbm_loop *loop = dbm__task_given(t, "dbm_async_session", site);
    dbm_database *db = loop != NULL ? dbm_get(dbm__loop_manager(loop), name) : NULL;
    return db != NULL ? dbm__async_session_on(t, db, options, out, site) : NULL;
}

DBM__DEF dbm_status dbm__async_session_cb(dbm_loop *loop, dbm_database *db, const dbm_session_options *options, dbm_session *out,
                                          dbm_async_fn fn, void *ud, const char *site) {
    if (loop == NULL) return dbm__fail_null("dbm_async_session_cb: the loop is NULL; dbm_loop_create makes one", site);
    if (dbm__loop_alive(loop, site) != DBM_OK) return dbm__self()->last.status;
    return dbm__async_open(loop, NULL, db, options, out, fn, ud, site) != NULL ? DBM_OK : dbm__self()->last.status;
}

DBM__FN dbm__async *dbm__async_of(dbm_session *s, bool of_task, const char *site) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm__async *a;
    bool runs;
    if (w == NULL) {
        (void)dbm__session_bad(s, site);
        return NULL;
    }
    a = (dbm__async *)(void *)w->side;
    runs = a != NULL && dbm__load(&a->side.runner) == dbm__thread_number() && dbm__self()->loop != a->loop; /* this is a worker, and the queue is the loop's */
    if (a == NULL || runs || dbm__load32(&a->open) != s->gen) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, runs ? "a call of dbm_async_... inside of dbm_async_run, where calls wait: use dbm_exec and its like"
                  : "a call of dbm_async_... on a session that dbm_async_session did not begin");
        return NULL;
    }
    if (of_task && a->task == NULL) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "the session belongs to no task that could await: use the forms with _cb");
        return NULL;
    }
    return of_task || dbm__loop_alive(a->loop, site) == DBM_OK ? a : NULL;
}

static dbm_act *dbm__async_add_statement(dbm__async *a, dbm__async_to to, const char *site, const char *sql, const dbm_value *values, int count, bool named) {
    dbm__request *r = dbm__request_make(a->loop, to.kind, site, sql, values, count, named);
    if (r == NULL) return NULL;
    if (to.kind == DBM__ASYNC_QUERY) r->rows_out = (dbm_rows **)to.out;
    else r->row_out = (dbm_row **)to.out;
    return dbm__async_add(a, r, to);
}

/* A failure of the call's values comes in its turn, and sticks; on a database at once. */
static dbm_act *dbm__async_bad(dbm__async *a, dbm__async_to to, const char *site) {
    return a->work == NULL ? NULL : dbm__async_add(a, dbm__request_failed(a->loop, site), to);
}

typedef struct dbm__async_words { dbm__async *a; dbm__async_to to; const char *site; dbm_act *act; } dbm__async_words;
static dbm_status dbm__async_words_put(void *ud, const dbm_value *words, int count, bool writes) {
    dbm__async_words *x = (dbm__async_words *)ud;
    dbm__request *r = dbm__request_make(x->a->loop, DBM__ASYNC_COMMAND, x->site, NULL, words, count, false);
    if (r == NULL) return DBM_E_NOMEM;
    r->writes = writes;
    r->row_out = (dbm_row **)x->to.out;
    x->act = dbm__async_add(x->a, r, x->to);
    return DBM_OK;
}

static dbm__async *dbm__async_ready(dbm_session *s, dbm__async_to to, const char *site) {
    if (to.out != NULL) *(void **)to.out = NULL;
    if (s != NULL && (s->step == DBM__ON_DATABASE || s->step == DBM__ON_LOOP)) return dbm__share_front(s, to.told, site);
    return dbm__async_of(s, !to.told, site);
}

/* A command's words; its values by codes, or from an array. */
static dbm_act *dbm__async_command(dbm__async *a, dbm__async_to to, const char *site, const char *format, const dbm_value *values, int count, const char *codes, va_list *ap) {
    dbm__async_words x;
    dbm__redis_use use;
    dbm_session on = dbm__database_target(a->db);
    dbm_status st;
    x.a = a;
    x.to = to;
    x.site = site;
    x.act = NULL;
    use.use = dbm__async_words_put;
    use.ud = &x;
    st = ap != NULL ? dbm__redis_commanded(&on, site, &use, format, codes, ap)
        : dbm__redis_callv(&on, site, DBM__REDIS_WANT_WORDS | (format != NULL ? DBM__REDIS_FORMAT : 0), &use, format, values, count);
    return st != DBM_OK && x.act == NULL ? dbm__async_bad(a, to, site) : x.act;
}

static dbm_act *dbm__async_do(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const char *codes, va_list *ap) {
    dbm_value values[DBM__MAX_VALUES];
    bool named = false;
    int count = 0;
    dbm__async *a = dbm__async_ready(s, to, site);
    if (a == NULL) return NULL;
    if (to.kind == DBM__ASYNC_COMMAND) return dbm__async_command(a, to, site, sql, NULL, 0, codes, ap);
    if (codes[0] != 0 && dbm__values_read(values, &count, &named, codes, *ap) != DBM_OK) return dbm__async_bad(a, to, site);
    return dbm__async_add_statement(a, to, site, sql, values, count, named);
}

DBM__DEF dbm_act *dbm__async_statement(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const char *codes, ...) {
    dbm_act *act;
    va_list ap;
    va_start(ap, codes);
    act = dbm__async_do(s, to, site, sql, codes, &ap);
    va_end(ap);
    return act;
}

DBM__DEF dbm_act *dbm__async_statementv(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    bool named = false;
    int i;
    dbm__async *a = dbm__async_ready(s, to, site);
    if (a == NULL) return NULL;
    if (to.kind == DBM__ASYNC_COMMAND) return dbm__async_command(a, to, site, sql, values, count, NULL, NULL);
    if (count < 0 || count > DBM__MAX_VALUES || (count > 0 && values == NULL)) {
        dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, a->db->name, site, "%d values: a call takes 0 to %d", count, (int)DBM__MAX_VALUES);
        return dbm__async_bad(a, to, site);
    }
    for (i = 0; i < count; i++) {
        copy[i] = values[i];
        if (values[i].name != NULL) named = true;
    }
    if (dbm__values_check(copy, count, a->db->name, site) != DBM_OK) return dbm__async_bad(a, to, site);
    return dbm__async_add_statement(a, to, site, sql, copy, count, named);
}

DBM__DEF dbm_shared *dbm__async_share(dbm_loop *loop, dbm_database *db, const char *site) {
    dbm__line *h = NULL;
    if (loop == NULL || db == NULL) (void)dbm__fail_null(loop == NULL ? "dbm_async_on: the loop is NULL; dbm_loop_create makes one" : "dbm_async_on: the database is NULL; dbm_get finds one by its name", site);
    else if (dbm__loop_alive(loop, site) == DBM_OK && dbm__session_allowed(db, NULL, site) == DBM_OK) h = dbm__line_of(loop, db, site);
    if (h != NULL && h->named) dbm__line_left(h);
    if (h != NULL) h->named = true;
    return (dbm_shared *)(void *)h;
}

DBM__DEF dbm_act *dbm__async_step(dbm_session *s, dbm__async_to to, const char *site) {
    dbm__async *a = dbm__async_of(s, !to.told, site);
    if (a == NULL) return NULL;
    if (to.kind == DBM__ASYNC_END) {
        dbm__request *r = a->end;
        r->fn = to.fn;
        r->ud = to.ud;
        s->slot = NULL;
        s->gen = 0;
        dbm__async_end(a, r, to.told ? NULL : a->task, true, to.told);
        return &r->act;
    }
    return dbm__async_add(a, dbm__request_make(a->loop, to.kind, site, NULL, NULL, 0, false), to);
}

DBM__DEF dbm_act *dbm__async_run(dbm_session *s, dbm__async_to to, dbm_async_run_fn run, void *ud, const char *site) {
    dbm__async *a = dbm__fn_given(run != NULL, site) ? dbm__async_of(s, !to.told, site) : NULL;
    dbm__request *r = a != NULL ? dbm__request_make(a->loop, DBM__ASYNC_RUN, site, NULL, NULL, 0, false) : NULL;
    if (r == NULL) return NULL;
    r->run = run;
    r->run_ud = ud;
    return dbm__async_add(a, r, to);
}

DBM__DEF dbm_act *dbm__async_rows(dbm_rows *rows, dbm__async_to to, const char *site) {
    dbm_session s;
    dbm__async *a;
    dbm__request *r;
    if (to.out != NULL) *(void **)to.out = NULL;
    if (rows == NULL) {
        (void)dbm__fail_null("a call on rows that are NULL; dbm_async_query gives them, and sets them to NULL when it fails", site);
        return NULL;
    }
    s.slot = rows->row.work;
    s.gen = rows->row.gen;
    s.step = 0;
    a = dbm__async_of(&s, false, site); /* before anything is looked at that a worker may be ending */
    if (a == NULL || !rows->row.open) {
        dbm_task *t = dbm__self()->loop != NULL ? dbm__task_current((dbm_loop *)dbm__self()->loop) : NULL;
        if (to.kind == DBM__ASYNC_ROWS_END && !to.told && t != NULL) return dbm__async_yield(t, site); /* done already */
        if (a != NULL || dbm__self()->last.status == DBM_E_MISUSE) (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_ROW, NULL, site, "these rows have ended, with dbm_async_rows_end or with their session");
        return NULL;
    }
    a = dbm__async_of(&s, !to.told, site);
    r = a != NULL ? dbm__request_make(a->loop, to.kind, site, NULL, NULL, 0, false) : NULL;
    if (r == NULL) return NULL;
    r->rows = rows;
    r->row_out = (dbm_row **)to.out;
    return dbm__async_add(a, r, to);
}

/* A row that is in memory: no act is needed for it. */
DBM__DEF bool dbm__async_row(dbm_task *t, dbm_rows *rows, dbm_row **row) {
    dbm__work *w;
    dbm_status st;
    if (t != NULL && dbm__task_awaits(t) != NULL) return true; /* it was awaited, and is there; the rows may be another's by now */
    *row = NULL;
    if (rows == NULL || !rows->row.open) return false;
    w = rows->row.work;
    if (w->side == NULL || w->side->busy || dbm__load(&w->trouble) != 0 || rows->row.gen != w->gen || w->db->gate != NULL || !dbm__pool_steps(w->slot.pool)) return false;
    if ((rows->row.number & 63) == 63) return false; /* others have a turn */
    if (!rows->row.fresh) {
        if (rows->row.ended || rows->row.op.result == NULL || w->db->adapter->fetch == NULL) return false;
        rows->row.op.kind = DBM_OP_FETCH;
        st = w->db->adapter->fetch(&w->slot.connection, &rows->row.op);
        if (st == DBM_E_UNSUPPORTED) return false;
        if (st != DBM_OK && st != DBM_DONE) st = dbm__op_failed(&w->slot.connection, DBM_OP_FETCH, st);
        if (dbm__rows_fetched(rows, st) != DBM_OK) return false; /* dbm_async_next() tells that again */
    } else {
        (void)dbm__rows_at_hand(rows, &st);
    }
    *row = &rows->row;
    return true;
}
#else
DBM__DEF dbm_shared *dbm__async_share(dbm_loop *loop, dbm_database *db, const char *site) { (void)loop; (void)db; (void)site; return NULL; }
static dbm_status dbm__no_sessions(void) {
    return dbm__fail(DBM_E_NOT_COMPILED, DBM_STAGE_NONE, NULL, NULL, "the asynchronous half is not compiled in: define DBM_WITH_ASYNC in the file with DBM_IMPLEMENTATION");
}
DBM__DEF dbm_act *dbm__async_session_on(dbm_task *t, dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site) {
    (void)t; (void)db; (void)options; (void)site;
    if (out != NULL) { out->slot = NULL; out->step = 0; out->gen = (uint32_t)DBM_E_NOT_COMPILED; }
    (void)dbm__no_sessions();
    return NULL;
}
DBM__DEF dbm_act *dbm__async_session(dbm_task *t, const char *name, const dbm_session_options *options, dbm_session *out, const char *site) {
    (void)name;
    return dbm__async_session_on(t, NULL, options, out, site);
}
DBM__DEF dbm_status dbm__async_session_cb(dbm_loop *loop, dbm_database *db, const dbm_session_options *options, dbm_session *out, dbm_async_fn fn, void *ud, const char *site) {
    (void)loop; (void)fn; (void)ud;
    (void)dbm__async_session_on(NULL, db, options, out, site);
    return DBM_E_NOT_COMPILED;
}
DBM__DEF dbm_act *dbm__async_statement(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const char *codes, ...) { (void)s; (void)to; (void)site; (void)sql; (void)codes; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_statementv(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const dbm_value *values, int count) { (void)s; (void)to; (void)site; (void)sql; (void)values; (void)count; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_step(dbm_session *s, dbm__async_to to, const char *site) { (void)s; (void)to; (void)site; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_rows(dbm_rows *rows, dbm__async_to to, const char *site) { (void)rows; (void)to; (void)site; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_run(dbm_session *s, dbm__async_to to, dbm_async_run_fn run, void *ud, const char *site) { (void)s; (void)to; (void)run; (void)ud; (void)site; (void)dbm__no_sessions(); return NULL; }
DBM__DEF bool dbm__async_row(dbm_task *t, dbm_rows *rows, dbm_row **row) { (void)t; (void)rows; *row = NULL; return false; }
#endif /* DBM_HAS_ASYNC */
