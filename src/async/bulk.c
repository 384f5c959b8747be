/* Bulks of asynchronous sessions. A row is a call of its session, which passes it on at once when nothing is under way there, and waits when the adapter must send.
 * May call: api/, base/, adapter/, pool/, sql/, session/, async.h, side.h.
 * Must not know: how a session's calls are run. */
#include "side.h"
#if DBM_HAS_ASYNC

DBM__FN bool dbm__bulk_blocks(const dbm__async *a, const dbm__request *r) {
    if (a->at != 0 || r->kind < DBM__ASYNC_BULK_BEGIN || r->kind > DBM__ASYNC_BULK_ABANDON) return false;
    return a->work->db->adapter->bulk_row == NULL || (r->bulk != NULL && a->work->bulk == r->bulk && !r->bulk->own_way);
}

DBM__FN dbm_status dbm__bulk_feed(dbm__request *r) {
    dbm_bulk *b = r->bulk;
    dbm_status st = dbm__bulk_bad(b);
    if (st != DBM_OK) return st;
    if (r->status != DBM_OK) { /* of the call's values */
        st = dbm__error_kept(b->work->db->host, r->error, r->status);
        r->error = NULL;
        return dbm__bulk_row_wrong(b, r->count, false, st, r->site);
    }
    if (r->arrays) return dbm__bulk_pass_columns(b, (const dbm_column *)(const void *)r->values[0].as.text.data, r->count, r->row_count, &r->rows_at);
    return r->rows_at++ < r->row_count ? dbm__bulk_pass(b, r->values, r->count, r->site) : DBM_OK;
}

DBM__FN dbm_status dbm__bulk_sync(dbm__request *r, dbm_session *s) {
    dbm_status st;
    if (r->kind == DBM__ASYNC_BULK_ROWS) return dbm__bulk_feed(r);
    if (r->kind == DBM__ASYNC_BULK_END) return dbm_bulk_end(r->bulk);
    if (r->kind == DBM__ASYNC_BULK_ABANDON) return dbm_bulk_abandon(r->bulk);
    if (r->bulk == NULL) return dbm__bulk_begin(s, &r->bulk, r->values[1].as.text.data, r->values[2].as.text.data, (const dbm_bulk_options *)(const void *)r->values[0].as.text.data, r->site);
    st = dbm__bulk_inserts(r->bulk, DBM_E_UNSUPPORTED); /* the adapter was asked on the loop */
    if (st != DBM_OK) return dbm__bulk_close(r->bulk, dbm__bulk_row_failed(r->bulk, -1, st));
    st = dbm__bulk_bad(r->bulk); /* cancelled meanwhile */
    return st == DBM_OK ? DBM_OK : dbm__bulk_close(r->bulk, st);
}

DBM__DEF dbm_act *dbm__async_bulk_begin(dbm_session *s, dbm__async_to to, const char *table, const char *columns, const dbm_bulk_options *options, const char *site) {
    dbm__async *a;
    dbm__request *r;
    dbm_value values[3];
    dbm_bulk_options none;
    if (to.out != NULL) *(dbm_bulk **)to.out = NULL;
    else (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_async_bulk_begin: out is NULL");
    a = to.out != NULL ? dbm__async_of(s, !to.told, site) : NULL;
    memset(&none, 0, sizeof none);
    values[0] = dbm_blob(options != NULL ? options : &none, sizeof none); /* the first one, so that it is as well aligned */
    values[1] = dbm_text(table);
    values[2] = dbm_text(columns);
    if (a == NULL || dbm__values_check(values, 3, a->work->db->name, site) != DBM_OK) return NULL;
    r = dbm__request_make(a->loop, to.kind, site, NULL, values, 3, false);
    if (r == NULL) return NULL;
    r->bulk_out = (dbm_bulk **)to.out;
    return dbm__async_add(a, r, to);
}

/* A row, arrays, or what ends it. `bad`: what is wrong with the row's values, this thread's last failure. */
static dbm_act *dbm__bulk_call(dbm_bulk *b, dbm__async_to to, const dbm_value *values, int count, const dbm_column *columns, size_t rows, dbm_status bad, const char *site) {
    dbm_session s = { b != NULL ? b->work : NULL, b != NULL ? b->gen : 0, 0 };
    dbm__async *a = dbm__async_of(b != NULL ? &s : NULL, !to.told, site);
    dbm_value arrays = dbm_blob(columns, columns != NULL && count > 0 ? (size_t)count * sizeof *columns : 0);
    dbm__request *r;
    if (a == NULL) return NULL;
    r = dbm__request_make(a->loop, to.kind, site, NULL, columns != NULL ? &arrays : values, columns != NULL ? 1 : bad == DBM_OK ? count : 0, false);
    if (r == NULL) {
        (void)dbm__work_fail(a->work, site); /* or what follows would go on without it */
        return NULL;
    }
    r->bulk = b;
    r->count = count;
    r->row_count = rows;
    r->arrays = columns != NULL; /* a copy of them, behind the one value, so as well aligned */
    r->status = bad;
    if (bad != DBM_OK) r->error = dbm__error_keep(a->work->db->host, bad);
    return dbm__async_add(a, r, to);
}

DBM__DEF dbm_act *dbm__async_bulk_row(const char *site, dbm_bulk *b, const char *codes, ...) {
    dbm_value values[DBM__MAX_VALUES];
    bool named;
    int count = 0;
    va_list ap;
    dbm_status st;
    va_start(ap, codes);
    st = dbm__values_read(values, &count, &named, codes, ap);
    va_end(ap);
    return dbm__bulk_call(b, dbm__async_await(DBM__ASYNC_BULK_ROWS), values, count, NULL, 1, st, site);
}

DBM__DEF dbm_act *dbm__async_bulk(dbm_bulk *b, dbm__async_to to, const dbm_value *values, int count, const dbm_column *columns, size_t rows, const char *site) {
    dbm_value copy[DBM__MAX_VALUES];
    if (to.kind != DBM__ASYNC_BULK_ROWS || columns != NULL) return dbm__bulk_call(b, to, NULL, count, columns, rows, DBM_OK, site);
    if (values == NULL || count < 0 || count > DBM__MAX_VALUES) count = 0; /* which is wrong, too */
    if (count != 0) memcpy(copy, values, (size_t)count * sizeof *copy);
    return dbm__bulk_call(b, to, copy, count, NULL, 1, dbm__values_check(copy, count, b != NULL ? b->work->db->name : NULL, site), site);
}

/* ---- the callback form: begin, rows while there is room, end ---- */

typedef struct dbm__producing {
    dbm_session session;
    dbm_bulk *bulk;
    dbm_async_row_fn row;
    dbm_async_fn fn;
    void *ud;
    const char *site;
    dbm_loop *loop;
    dbm_error_info *error;               /* of `row`, while the bulk is dropped */
    dbm_status status;
} dbm__producing;

static void dbm__producing_over(void *ud, dbm_status st) {
    dbm__producing p = *(dbm__producing *)ud;
    dbm__free(dbm__loop_host(p.loop), ud);
    if (p.status > DBM_ROLLED_BACK) st = dbm__error_kept(dbm__loop_host(p.loop), p.error, p.status);
    if (p.fn != NULL) p.fn(p.ud, st);
}

static void dbm__producing_on(void *ud, dbm_status st) {
    dbm__producing *p = (dbm__producing *)ud;
    dbm__async_to more = dbm__async_tell(DBM__ASYNC_BULK_ROWS, dbm__producing_on, p), over = dbm__async_tell(DBM__ASYNC_BULK_END, dbm__producing_over, p);
    dbm_value values[DBM__MAX_VALUES];
    dbm_act *act = NULL;
    if (st == DBM_OK && dbm__loop_ends(p->loop)) st = dbm__fail(DBM_E_CLOSED, DBM_STAGE_STATEMENT, "", p->site, "the loop is being freed");
    if (st == DBM_OK) {
        int count = p->bulk->plan.column_count;
        memset(values, 0, sizeof values);
        p->status = p->row(p->ud, values);
        if (p->status > DBM_ROLLED_BACK) {
            over.kind = DBM__ASYNC_BULK_ABANDON;
            if (dbm__self()->last.status != p->status) (void)dbm__fail(p->status, DBM_STAGE_STATEMENT, "", p->site, NULL);
            p->error = dbm__error_keep(dbm__loop_host(p->loop), p->status);
        }
        if (dbm__async_of(&p->session, false, p->site) == NULL) act = NULL; /* it has ended it */
        else if (p->status != DBM_OK) act = dbm__bulk_call(p->bulk, over, NULL, 0, NULL, 0, DBM_OK, p->site);
        else act = dbm__bulk_call(p->bulk, more, values, count, NULL, 1, dbm__values_check(values, count, "", p->site), p->site);
        if (act == NULL) st = dbm__self()->last.status;
    }
    if (act == NULL) dbm__producing_over(p, st);
}

DBM__DEF dbm_status dbm__async_bulk_cb(dbm_session *s, const char *table, const char *columns, const dbm_bulk_options *options, dbm_async_row_fn row, dbm_async_fn fn, void *ud,
                                       const char *site) {
    dbm__async *a = dbm__fn_given(row != NULL, site) ? dbm__async_of(s, false, site) : NULL;
    dbm__producing *p = a != NULL ? (dbm__producing *)dbm__alloc_zero(a->work->db->host, sizeof *p) : NULL;
    if (p == NULL) return a != NULL ? dbm__no_memory(DBM_STAGE_STATEMENT, a->work->db->name, site) : dbm__self()->last.status;
    p->session = *s;
    p->row = row;
    p->fn = fn;
    p->ud = ud;
    p->site = site;
    p->loop = a->loop;
    if (dbm__async_bulk_begin(s, dbm__async_how(DBM__ASYNC_BULK_BEGIN, &p->bulk, true, dbm__producing_on, p), table, columns, options, site) != NULL) return DBM_OK;
    dbm__free(dbm__loop_host(p->loop), p);
    return dbm__self()->last.status;
}
#else
DBM__DEF dbm_act *dbm__async_bulk_begin(dbm_session *s, dbm__async_to to, const char *table, const char *columns, const dbm_bulk_options *options, const char *site) { (void)table; (void)columns; (void)options; return dbm__async_step(s, to, site); }
DBM__DEF dbm_act *dbm__async_bulk_row(const char *site, dbm_bulk *b, const char *codes, ...) { (void)b; (void)codes; return dbm__async_step(NULL, dbm__async_await(DBM__ASYNC_BULK_ROWS), site); }
DBM__DEF dbm_act *dbm__async_bulk(dbm_bulk *b, dbm__async_to to, const dbm_value *values, int count, const dbm_column *columns, size_t rows, const char *site) { (void)b; (void)values; (void)count; (void)columns; (void)rows; return dbm__async_step(NULL, to, site); }
DBM__DEF dbm_status dbm__async_bulk_cb(dbm_session *s, const char *table, const char *columns, const dbm_bulk_options *options, dbm_async_row_fn row, dbm_async_fn fn, void *ud, const char *site) { (void)table; (void)columns; (void)options; (void)row; (void)fn; (void)ud; return dbm__async_began(dbm__async_step(s, dbm__async_await(DBM__ASYNC_BULK_BEGIN), site)); }
#endif /* DBM_HAS_ASYNC */
