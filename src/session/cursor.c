/* Queries and rows: cursors that stream, the row in hand, its columns, scans.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: how values are converted (sql/), or how a statement is found and started (statement.c). */
#include "session.h"

/* ---- cursors ------------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__rows_spare(dbm__work *w, dbm_rows *rows) {
    rows->row.lent_to = NULL;
    if (rows->row.copied != NULL) dbm__rows_init(w, rows);
    rows->row.copied = NULL;
    if (rows->row.looping) {
        rows->next = w->free_rows;
        w->free_rows = rows;
        return;
    }
    rows->next = NULL;
    if (w->last_spare_rows != NULL) w->last_spare_rows->next = rows;
    else w->spare_rows = rows;
    w->last_spare_rows = rows;
    w->spare_rows_count++;
}

enum { DBM__TIDY = 64 };

/* Of an asynchronous session: rows that were read to the end need no end of their own. All but the last ones go. */
static DBM__NOINLINE void dbm__rows_tidy(dbm__work *w) {
    dbm_rows *all = w->rows, **p = &all, *rows;
    int over = 0;
    w->rows = NULL; /* so that dbm__rows_close() looks for none */
    while ((rows = *p) != NULL) {
        if (!rows->row.ended || rows->row.op.result != NULL || ++over < DBM__TIDY) {
            p = &rows->next;
            continue;
        }
        *p = rows->next;
        dbm__rows_close(rows);
    }
    w->rows = all;
}

DBM__FN dbm_rows *dbm__rows_new(dbm__work *w) {
    dbm_rows *rows;
    if (DBM__UNLIKELY(w->side != NULL) && w->side->gen == w->base.gen && ++w->side->queries % DBM__TIDY == 0) dbm__rows_tidy(w);
    rows = w->free_rows;
    if (rows != NULL) {
        w->free_rows = rows->next;
        return rows;
    }
    rows = w->spare_rows;
    if (rows != NULL && (w->spare_rows_count >= DBM__SPARE || (rows->row.gen < w->base.gen && w->side == NULL))) { /* a task may name rows of a session that has ended */
        w->spare_rows = rows->next;
        if (w->spare_rows == NULL) w->last_spare_rows = NULL;
        w->spare_rows_count--;
        return rows;
    }
    rows = (dbm_rows *)dbm__alloc_zero(w->db->host, sizeof *rows);
    if (rows != NULL) dbm__rows_init(w, rows);
    return rows;
}

static dbm_status dbm__no_columns(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    (void)c; (void)op; (void)i; (void)out;
    return DBM_E_UNSUPPORTED;
}

DBM__FN void dbm__rows_init(dbm__work *w, dbm_rows *rows) {
    rows->row.work = w;
    rows->row.column = w->db->adapter->column != NULL ? w->db->adapter->column : dbm__no_columns;
}

/* Copies of what the adapter gives without a NUL, for the row in hand. */
typedef struct dbm__kept { struct dbm__kept *next; char data[1]; } dbm__kept;

static DBM__NOINLINE void dbm__row_drop_kept(dbm_row *row) {
    while (row->kept != NULL) {
        dbm__kept *next = ((dbm__kept *)row->kept)->next;
        dbm__free(row->work->db->host, row->kept);
        row->kept = next;
    }
}

static DBM__NOINLINE const char *dbm__row_keep(dbm_row *row, const char *data, size_t size) {
    dbm__kept *copy = size < SIZE_MAX - sizeof *copy ? (dbm__kept *)dbm__alloc(row->work->db->host, sizeof *copy + size) : NULL;
    if (copy == NULL) {
        dbm__no_memory(DBM_STAGE_ROW, row->work->db->name, row->site);
        dbm__work_fail(row->work, row->site);
        return NULL;
    }
    copy->next = (dbm__kept *)row->kept;
    row->kept = copy;
    if (size != 0) memcpy(copy->data, data, size);
    copy->data[size] = 0;
    return copy->data;
}

/* Whether the process has forked since: what the row reads from is the parent's. */
DBM__INLINE bool dbm__row_forked(const dbm_row *row) {
    dbm__fork_look();
    return dbm__load(&row->work->slot.pool->fork) != dbm__fork_epoch();
}
static DBM__NOINLINE dbm_status dbm__row_of_parent(const dbm_row *row) {
    return dbm__fail(DBM_E_FORKED, DBM_STAGE_ROW, row->work->db->name, row->site, "the rows were open when the process forked; they belong to the parent");
}

DBM__FN void dbm__rows_reset(dbm__work *w, dbm_rows *rows, const char *site) {
    dbm_row *row = &rows->row;
    row->entry = NULL;
    row->number = 0;
    row->gen = w->gen;
    row->site = site;
    row->ended = row->held = row->held_so_far = row->looping = row->owns_session = false;
    dbm__row_leave(row);
}

/* A command has answered: its rows, if any, stand before the first one. */
DBM__FN void dbm__rows_opened(dbm__work *w, dbm_rows *rows) {
    dbm_row *row = &rows->row;
    row->fresh = row->op.row && row->op.result != NULL;
    row->ended = row->op.result == NULL;
    row->open = true;
    if (row->op.result != NULL) w->open_rows++;
    if (rows == &w->one) return;
    rows->next = w->rows;
    w->rows = rows;
}

/* Ends the result at the adapter and frees the statement for others. The cursor stays with its owner. */
static void dbm__rows_finish(dbm_rows *rows) {
    dbm_row *row = &rows->row;
    dbm__work *w = row->work;
    row->ended = true;
    row->fresh = false;
    dbm__row_leave(row);
    if (DBM__UNLIKELY(row->kept != NULL)) dbm__row_drop_kept(row);
    if (row->op.result != NULL) {
        row->op.kind = DBM_OP_FINISH;
        dbm__op_finish(&w->slot.connection, &row->op);
        row->op.result = NULL;
        w->open_rows--;
    }
    if (row->entry == NULL) return; /* a command's */
    dbm__cache_give(&w->slot.connection, row->entry);
    row->entry = NULL;
    if (DBM__UNLIKELY(w->no_transaction && w->open_rows == 0)) dbm__work_gate_leave(w);
}

DBM__FN void dbm__rows_close(dbm_rows *rows) {
    dbm__work *w = rows->row.work;
    dbm_rows **p;
    if (!rows->row.open) return;
    dbm__rows_finish(rows);
    rows->row.open = false;
    if (DBM__UNLIKELY(rows->row.arguments_size > DBM__ARGUMENTS_KEPT)) {
        dbm__free(w->db->host, rows->row.arguments);
        rows->row.arguments = NULL;
        rows->row.arguments_size = 0;
    }
    if (rows == &w->one) return;
    for (p = &w->rows; *p != NULL && *p != rows; p = &(*p)->next) {}
    if (*p == rows) *p = rows->next;
    dbm__rows_spare(w, rows);
}

DBM__FN void dbm__rows_close_all(dbm__work *w) {
    if (w->one.row.open) dbm__rows_close(&w->one);
    while (w->rows != NULL) dbm__rows_close(w->rows);
}

DBM__FN dbm_status dbm__row_holding(dbm__work *w, dbm_row *row, const char *site) {
    if (row->op.result == NULL || row->held || row->ended) return DBM_DONE;
    if (row->entry != NULL && row->entry->random && !w->db->one_result) { /* the rest is taken from a second run, which would give other rows */
        return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_ROW, w->db->name, site,
                         "the rows of %s come from a statement that calls random(), so they can't be kept while another statement writes: read them "
                         "all first", row->site);
    }
    row->op.kind = DBM_OP_HOLD;
    row->op.row_buffer = w->db->settings->config.row_buffer;
    row->op.deadline_us = dbm__work_deadline(w);
    return DBM_OK;
}

DBM__FN dbm_status dbm__row_held(dbm__work *w, dbm_row *row, dbm_status st, const char *site) {
    if (st != DBM_OK && st != DBM_DONE) {
        dbm_error_info *e = &dbm__self()->last;
        char text[600];
        dbm__copy_cut(text, sizeof text, e->message);
        dbm__format(e->message, sizeof e->message, "the rows of %s, which are being read, can't be kept while another statement %s (at %s): %s",
                    row->site, w->db->one_result ? "runs" : "writes", site != NULL ? site : "a savepoint", text);
        return st;
    }
    row->held = true;
    row->held_so_far = st == DBM_DONE;
    return DBM_OK;
}

static dbm_status dbm__row_hold(dbm__work *w, dbm_row *row, const char *site) {
    dbm_status st = dbm__row_holding(w, row, site);
    if (st != DBM_OK) return st == DBM_DONE ? DBM_OK : st;
    return dbm__row_held(w, row, dbm__op_run(&w->slot.connection, &row->op), site);
}

DBM__FN DBM__NOINLINE dbm_status dbm__rows_hold(dbm__work *w, const char *site) {
    dbm_rows *rows;
    dbm_status st = DBM_OK;
    if (w->db->one_result && w->one.row.open) st = dbm__row_hold(w, &w->one.row, site);
    for (rows = w->rows; rows != NULL && st == DBM_OK; rows = rows->next) st = dbm__row_hold(w, &rows->row, site);
    return st;
}

DBM__FN dbm_status dbm__work_query(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, bool one,
                                   const char *site, dbm_rows **out) {
    dbm_rows *rows;
    dbm_row *row;
    dbm_rows *keep;
    dbm_status rc;
    int i;
    *out = NULL;
    if (one) {
        if (w->one.row.open) {
            const dbm_value *kept = values;
            rc = dbm__one_end(w, &sql, &kept, count, site);
            if (rc != DBM_OK) return rc;
            values = (dbm_value *)kept;
        }
        rows = keep = &w->one;
        /* Only the first row is stepped to, at once: values are needed no longer than the call, unless a text may be in the row. */
        for (i = 0; i < count && (values[i].type < DBM_TYPE_TEXT || values[i].type == DBM_TYPE_TIMESTAMP); i++) {}
        if (DBM__LIKELY(i == count)) keep = NULL;
    } else {
        rows = keep = dbm__rows_new(w);
        if (rows == NULL) {
            dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
            return dbm__work_fail(w, site);
        }
    }
    row = &rows->row;
    dbm__rows_reset(w, rows, site);
    row->op.one_row = one;
    rc = dbm__work_run(w, sql, st, named, site, values, count, &row->op, &row->entry, keep);
    if (DBM__UNLIKELY(rc != DBM_OK)) {
        row->entry = NULL;
        row->op.result = NULL;
        if (!one) dbm__rows_spare(w, rows);
        return rc;
    }
    dbm__rows_opened(w, rows);
    if (row->op.result == NULL) { /* a statement without rows */
        dbm__cache_give(&w->slot.connection, row->entry);
        row->entry = NULL;
    }
    *out = rows;
    return DBM_OK;
}

DBM__FN DBM__NOINLINE bool dbm__rows_at_hand(dbm_rows *rows, dbm_status *st) {
    dbm_row *row = &rows->row;
    if (DBM__UNLIKELY(row->kept != NULL)) dbm__row_drop_kept(row);
    if (row->fresh) {
        row->fresh = false;
        row->number = 0;
        dbm__row_stand(row);
        *st = DBM_OK;
        return true;
    }
    if (row->op.result != NULL) return false;
    row->ended = true;
    dbm__row_leave(row);
    *st = DBM_DONE;
    return true;
}

static dbm_status dbm__rows_got(dbm_rows *rows, dbm_status st, bool reported) {
    dbm_row *row = &rows->row;
    dbm__work *w = row->work;
    if (row->held_so_far) row->held = row->held_so_far = false;
    if (st == DBM_OK) return dbm__row_stand(row), DBM_OK;
    if (st == DBM_DONE) {
        if (row->entry != NULL && row->entry->prepared.writes && row->op.affected >= 0) w->affected = row->op.affected;
        dbm__rows_finish(rows);
        return DBM_DONE;
    }
    if (!reported) dbm__op_failed(&w->slot.connection, DBM_OP_FETCH, st);
    {
        bool unsettled = row->entry != NULL && row->entry->prepared.writes && !row->op.settled;
        dbm_error_info kept = dbm__self()->last;
        dbm__rows_finish(rows);
        dbm__self()->last = kept;
        if (unsettled) dbm__work_doubt(w, st);
    }
    return dbm__work_fail(w, row->site);
}
DBM__FN dbm_status dbm__rows_fetched(dbm_rows *rows, dbm_status st) { return dbm__rows_got(rows, st, true); }

/* .fetch gave no row: it could not, or there is none. */
static DBM__NOINLINE dbm_status dbm__rows_else(dbm_rows *rows, dbm_status st) {
    bool reported = st == DBM_E_UNSUPPORTED;
    if (reported) st = dbm__op_run(&rows->row.work->slot.connection, &rows->row.op);
    return dbm__rows_got(rows, st, reported);
}

/* The next row, without the checks of the public call. */
DBM__INLINE dbm_status dbm__rows_advance(dbm_rows *rows) {
    dbm_row *row = &rows->row;
    dbm__work *w = row->work;
    const dbm_adapter *a = w->db->adapter;
    dbm_status st;
    if (DBM__UNLIKELY(row->fresh || row->op.result == NULL || row->kept != NULL) && dbm__rows_at_hand(rows, &st)) return st;
    row->op.kind = DBM_OP_FETCH;
    if (DBM__UNLIKELY(w->timed)) row->op.deadline_us = dbm__work_deadline(w);
    st = DBM__LIKELY(a->fetch != NULL) ? a->fetch(&w->slot.connection, &row->op) : DBM_E_UNSUPPORTED;
    if (DBM__UNLIKELY(st != DBM_OK)) return dbm__rows_else(rows, st);
    dbm__row_stand(row);
    return DBM_OK;
}

/* ---- the public calls ---------------------------------------------------------------------------------------------------------------- */

/* The first row of a query: on a session in its own place, on a database in a cursor that holds the connection. */
static dbm_status dbm__one_values(dbm__call *call, const char *sql, dbm_statement *prepared, dbm_value *values, int count, bool named, const char *site,
                                  dbm_row **row) {
    dbm_rows *rows;
    dbm__work *w = call->work;
    dbm_status st = dbm__work_query(w, sql, prepared, values, count, named, !call->owns, site, &rows);
    if (DBM__UNLIKELY(st != DBM_OK)) return call->owns ? dbm__call_end(call, st) : st;
    st = dbm__rows_advance(rows);
    if (DBM__LIKELY(st == DBM_OK)) {
        rows->row.owns_session = call->owns;
        *row = &rows->row;
        return DBM_OK;
    }
    dbm__rows_close(rows);
    if (st == DBM_DONE) {
        st = dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, w->db->name, site, "no row matched");
    }
    return call->owns ? dbm__call_end(call, st) : st;
}

/* A query by text (kind: DBM__KIND_CALL or _ROWS) or by handle (-1): all rows, or, with `row`, the first one. */
static DBM__NOINLINE dbm_status dbm__query_given(dbm_session *on, dbm_statement *prepared, int kind, bool one, dbm_rows **rows, dbm_row **row, const char *site,
                                                 const char *sql, dbm__given given) {
    dbm_value values[DBM__MAX_VALUES];
    bool named;
    int count;
    dbm__call call;
    dbm_status st;
    if (one ? row == NULL : rows == NULL) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_%squery%s is NULL", kind < 0 ? "stmt_" : "", one ? "_one: row" : ": rows");
    }
    if (one) *row = NULL;
    else *rows = NULL;
    call.owns = false;
    st = kind < 0 ? dbm__statement_ready(prepared, site) : dbm__call_begin(&call, on, kind, site);
    if (st != DBM_OK) return st;
    if (kind < 0) call.work = prepared->work;
    st = dbm__given_read(call.work, &given, values, &count, &named, site);
    if (st == DBM_OK && one) return dbm__one_values(&call, sql, prepared, values, count, named, site, row);
    if (st == DBM_OK) st = dbm__work_query(call.work, sql, prepared, values, count, named, false, site, rows);
    if (st != DBM_OK) return dbm__call_end(&call, st);
    if (*rows != NULL) (*rows)->row.owns_session = call.owns; /* it is not: said for the analyzer */
    return DBM_OK;
}

DBM__DEF dbm_status dbm__query(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const char *codes, ...)
    DBM__PASS_ON(dbm__query_given(on, NULL, DBM__KIND_ROWS, false, rows, NULL, site, sql, given))

DBM__DEF dbm_status dbm__queryv(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const dbm_value *values, int count) {
    return dbm__query_given(on, NULL, DBM__KIND_ROWS, false, rows, NULL, site, sql, dbm__given_array(values, count));
}

/* ---- the short way -------------------------------------------------------------------------------------------------------------------
 * One row by numbers, through a statement that is at hand, in a session that nothing watches: what is left
 * between the caller and the adapter when all that could need a look is known not to. */

/* The connection was found dead under the first statement: on another one, the long way. */
static DBM__NOINLINE dbm_status dbm__lane_again(dbm__work *w, dbm__entry *e, const char *site, dbm_row **out) {
    dbm_value values[DBM__LANE_VALUES];
    int i, count = w->one.row.op.value_count;
    char *sql = dbm__copy_text(w->db->host, e->text, e->text_size); /* the entry goes with the connection */
    dbm__call call;
    dbm_status st;
    dbm__cache_give(&w->slot.connection, e);
    if (sql == NULL) {
        dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
        return dbm__work_fail(w, site);
    }
    for (i = 0; i < count; i++) values[i] = w->one.row.op.values[i];
    call.work = w;
    call.owns = false;
    st = dbm__work_renew(w) == DBM_OK ? dbm__one_values(&call, sql, NULL, values, count, false, site, out) : dbm__work_fail(w, site);
    dbm__free(w->db->host, sql);
    return st;
}

/* The short way ended without a row in hand: one may have to be fetched, the connection may have to be replaced, or it failed. *out is the row all the same
 * where it was fetched. `first`: nothing came before it in this transaction. */
static DBM__NOINLINE dbm_status dbm__lane_else(dbm__work *w, dbm__entry *e, dbm_status rc, bool first, const char *site, dbm_row **out) {
    dbm_op *op = &w->one.row.op;
    *out = NULL;
    if (rc == DBM_OK && op->result != NULL) {
        op->kind = DBM_OP_FETCH;
        rc = dbm__op_run(&w->slot.connection, op);
        if (rc == DBM_OK) return DBM_OK;
    } else if (rc != DBM_OK && rc != DBM_DONE && (w->in_transaction || w->no_transaction) && w->db->adapter->start == NULL) {
        dbm__op_failed(&w->slot.connection, DBM_OP_EXECUTE, rc); /* else BEGIN, or dbm__op_run, has said it */
    }
    dbm__op_drop(&w->slot.connection, op);
    w->one.row.open = false;
    dbm__row_leave(&w->one.row);
    w->open_rows--;
    if (rc == DBM_OK || rc == DBM_DONE) {
        dbm__cache_give(&w->slot.connection, e);
        return dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, w->db->name, site, "no row matched");
    }
    if (rc == DBM_E_LOST && dbm__may_replace(w, rc, first || w->no_transaction, false)) {
        return dbm__lane_again(w, e, site, out);
    }
    dbm__statement_failed(w, e->text, site);
    dbm__cache_give(&w->slot.connection, e);
    return rc;
}

/* Counts a use of `e` beside the `own` ones that it has, and an open row, if the short way is free for it. The row of before ends, now or, where it is
 * of this very statement, as that is executed. */
DBM__INLINE bool dbm__lane_take(dbm__work *w, dbm__entry *e, int own) {
    dbm_row *row = &w->one.row;
    if (row->open) {
        if (DBM__LIKELY(row->entry == e) && DBM__LIKELY(w->restarts) && DBM__LIKELY(row->kept == NULL) && DBM__LIKELY(e->uses == own + 1)) return true;
        e->uses++; /* so that it stays */
        dbm__lane_close_one(w);
        e->uses--;
    }
    if (DBM__UNLIKELY(e->uses != own && e->prepared.single) || DBM__UNLIKELY(w->open_rows != 0 && w->db->one_result)) return false;
    e->uses++;
    w->open_rows++;
    row->op.result = NULL;
    return true;
}

/* `e` is taken. */
DBM__INLINE dbm_status dbm__lane_one(dbm__work *w, dbm__entry *e, const dbm_value *values, int count, const char *site, dbm_row **out) {
    dbm_row *row = &w->one.row;
    dbm_status rc = DBM_OK;
    bool first = DBM__UNLIKELY(!w->in_transaction) && !w->no_transaction;
    dbm__lane_op(w, e, values, count);
    row->op.one_row = true;
    row->site = site;
    if (DBM__UNLIKELY(first)) rc = dbm__work_start(w, false, site);
    if (DBM__LIKELY(rc == DBM_OK)) rc = w->lane(&w->slot.connection, &row->op);
    if (DBM__UNLIKELY(rc != DBM_OK || !row->op.row) && ((rc = dbm__lane_else(w, e, rc, first, site, out)) != DBM_OK || *out != NULL)) return rc;
    row->entry = e;
    row->number = 1;
    row->readable = row->op.columns;
    row->gen = w->gen;
    row->open = row->standing = true;
    row->fresh = row->ended = row->held = row->held_so_far = row->looping = row->owns_session = false;
    *out = row;
    return DBM_OK;
}

DBM__DEF DBM__HOT dbm_status dbm__query_one(dbm_session *on, dbm_row **row, const char *site, const char *sql, const char *codes, ...) {
    dbm__work *w;
    va_list ap;
    dbm_status st;
    if (DBM__LIKELY(on != NULL && row != NULL && on->step != DBM__ON_DATABASE && (w = dbm__work_of(on)) != NULL && dbm__lane_open(w) && sql != NULL)) {
        dbm_value values[DBM__LANE_VALUES];
        int count;
        va_start(ap, codes);
        count = dbm__values_short(values, DBM__LANE_VALUES, false, codes, &ap);
        va_end(ap);
        {
            dbm__entry *e = dbm__cache_known(&w->slot.connection, sql); /* before the row goes: the text may be the row's */
            if (DBM__LIKELY(e != NULL && e->plain == count)) {
                if (DBM__LIKELY(dbm__lane_take(w, e, 0))) {
                    dbm__cache_hit(&w->slot.connection, e);
                    return dbm__lane_one(w, e, values, count, site, row);
                }
                sql = e->text; /* which stays */
            }
        }
    }
    va_start(ap, codes);
    st = dbm__query_given(on, NULL, DBM__KIND_CALL, true, NULL, row, site, sql, dbm__given_list(codes, &ap));
    va_end(ap);
    return st;
}

DBM__DEF dbm_status dbm__query_onev(dbm_session *on, dbm_row **row, const char *site, const char *sql, const dbm_value *values, int count) {
    return dbm__query_given(on, NULL, DBM__KIND_CALL, true, NULL, row, site, sql, dbm__given_array(values, count));
}

static void dbm__loop_push(dbm_rows *rows) {
    dbm__thread *self = dbm__self();
    rows->within = (dbm__work *)self->open;
    rows->within_gen = rows->within != NULL ? rows->within->top->gen : 0;
    rows->loop = ++self->loops_made;
    rows->outer_loop = (dbm_rows *)self->loops;
    self->loops = rows;
}

static void dbm__loop_pop(dbm_rows *rows) {
    dbm_rows **p = (dbm_rows **)(void *)&dbm__self()->loops;
    while (*p != NULL && *p != rows) p = &(*p)->outer_loop;
    if (*p == rows) *p = rows->outer_loop;
}

DBM__FN void dbm__loops_end(dbm__thread *self, uint32_t after) {
    dbm_rows *loop;
    while ((loop = (dbm_rows *)self->loops) != NULL && (int32_t)(loop->loop - after) > 0) {
        const dbm__work *open = (const dbm__work *)self->open;
        if (loop->within != open || (open != NULL && loop->within_gen != open->top->gen)) return;
        dbm_rows_end(loop);
    }
}

DBM__FN dbm__cursor dbm__cursor_of(dbm_rows *rows) {
    dbm__cursor c;
    c.dbm__row = rows != NULL ? &rows->row : NULL;
    c.dbm__started = 0;
    if (rows != NULL) {
        rows->row.looping = true;
        if (rows->row.owns_session) dbm__loop_push(rows);
    }
    return c;
}

DBM__DEF dbm__cursor dbm__each(dbm_session *on, const char *site, const char *sql, const char *codes, ...) {
    dbm_rows *rows = NULL;
    va_list ap;
    va_start(ap, codes);
    (void)dbm__query_given(on, NULL, DBM__KIND_CALL, false, &rows, NULL, site, sql, dbm__given_list(codes, &ap));
    va_end(ap);
    return dbm__cursor_of(rows);
}

DBM__DEF dbm__cursor dbm__eachv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_rows *rows = NULL;
    (void)dbm__query_given(on, NULL, DBM__KIND_CALL, false, &rows, NULL, site, sql, dbm__given_array(values, count));
    return dbm__cursor_of(rows);
}

DBM__DEF dbm_status dbm__stmt_query(const char *site, dbm_statement *prepared, dbm_rows **rows, const char *codes, ...)
    DBM__PASS_ON(dbm__query_given(NULL, prepared, -1, false, rows, NULL, site, NULL, given))

DBM__DEF dbm_status dbm__stmt_queryv(const char *site, dbm_statement *prepared, dbm_rows **rows, const dbm_value *values, int count) {
    return dbm__query_given(NULL, prepared, -1, false, rows, NULL, site, NULL, dbm__given_array(values, count));
}

DBM__DEF DBM__HOT dbm_status dbm__stmt_query_one(const char *site, dbm_statement *prepared, dbm_row **row, const char *codes, ...) {
    va_list ap;
    dbm_status st;
    if (DBM__LIKELY(prepared != NULL && row != NULL)) {
        dbm__work *w = prepared->work;
        dbm__fork_look();
        if (DBM__LIKELY(prepared->gen == w->base.gen && dbm__lane_open(w) && dbm__load(&w->slot.pool->fork) == dbm__fork_epoch())) {
            dbm_value values[DBM__LANE_VALUES];
            int count;
            va_start(ap, codes);
            count = dbm__values_short(values, DBM__LANE_VALUES, false, codes, &ap);
            va_end(ap);
            {
                dbm__entry *e = prepared->entry;
                if (DBM__LIKELY(e != NULL && e->plain == count) && DBM__LIKELY(dbm__lane_take(w, e, 1))) return dbm__lane_one(w, e, values, count, site, row);
            }
        }
    }
    va_start(ap, codes);
    st = dbm__query_given(NULL, prepared, -1, true, NULL, row, site, NULL, dbm__given_list(codes, &ap));
    va_end(ap);
    return st;
}

DBM__DEF dbm_status dbm__stmt_query_onev(const char *site, dbm_statement *prepared, dbm_row **row, const dbm_value *values, int count) {
    return dbm__query_given(NULL, prepared, -1, true, NULL, row, site, NULL, dbm__given_array(values, count));
}

DBM__DEF dbm__cursor dbm__stmt_each(dbm_statement *prepared, const char *site, const char *codes, ...) {
    dbm_rows *rows = NULL;
    va_list ap;
    va_start(ap, codes);
    (void)dbm__query_given(NULL, prepared, -1, false, &rows, NULL, site, NULL, dbm__given_list(codes, &ap));
    va_end(ap);
    return dbm__cursor_of(rows);
}

DBM__DEF dbm__cursor dbm__stmt_eachv(dbm_statement *prepared, const char *site, const dbm_value *values, int count) {
    dbm_rows *rows = NULL;
    (void)dbm__query_given(NULL, prepared, -1, false, &rows, NULL, site, NULL, dbm__given_array(values, count));
    return dbm__cursor_of(rows);
}

DBM__DEF dbm_status dbm_rows_next(dbm_rows *rows, dbm_row **row) {
    dbm_status st;
    if (row != NULL) *row = NULL;
    if (rows == NULL) return dbm__fail_null("dbm_rows_next: the rows are NULL; dbm_query gives them", NULL);
    if (rows->row.open && dbm__row_forked(&rows->row)) return dbm__row_of_parent(&rows->row);
    if (!rows->row.open) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_ROW, NULL, NULL, "dbm_rows_next: these rows have ended, with dbm_rows_end or with their session");
    if (dbm__load(&rows->row.work->trouble) != 0 && (st = dbm__work_trouble(rows->row.work, rows->row.site)) != DBM_OK) return st;
    st = dbm__rows_advance(rows);
    if (st == DBM_OK && row != NULL) *row = &rows->row;
    return st;
}

/* Something stands between a loop and its next row; what, is this thread's last failure. */
static DBM__NOINLINE bool dbm__row_steps(dbm_row *row) {
    if (row->open && dbm__row_forked(row)) return dbm__row_of_parent(row), false;
    return (dbm__load(&row->work->trouble) == 0 || dbm__work_trouble(row->work, row->site) == DBM_OK) && row->open;
}

DBM__DEF DBM__HOT bool dbm__row_step(dbm_row *row) {
    if (DBM__UNLIKELY(!row->open || dbm__row_forked(row) || dbm__load(&row->work->trouble) != 0) && !dbm__row_steps(row)) return false;
    return dbm__rows_advance((dbm_rows *)(void *)row) == DBM_OK;
}

DBM__DEF void dbm_rows_end(dbm_rows *rows) {
    dbm__work *w;
    bool owns;
    if (rows == NULL || !rows->row.open) return;
    w = rows->row.work;
    if (DBM__UNLIKELY(w->side != NULL) && dbm__work_busy(w, rows->row.site)) return;
    owns = rows->row.owns_session;
    if (owns && rows->row.looping) dbm__loop_pop(rows);
    if (DBM__UNLIKELY(dbm__row_forked(&rows->row))) { /* the clean-up after a fork drops them without a word to the server */
        dbm__pool_after_fork(w->slot.pool);
        return;
    }
    dbm__rows_close(rows);
    if (owns) {
        dbm_session s;
        s.slot = w;
        s.gen = w->gen;
        s.step = 0;
        dbm__session_close(&s);
    }
}

DBM__DEF void dbm_row_end(dbm_row *row) { dbm_rows_end((dbm_rows *)(void *)row); }
DBM__DEF void dbm__cursor_end(dbm__cursor *c) {
    if (c->dbm__row != NULL) dbm_row_end(c->dbm__row);
    c->dbm__row = NULL;
}

/* ---- columns ---------------------------------------------------------------------------------------------------------------------------- */

DBM__DEF const char *dbm_row_name(dbm_row *row, int i) {
    const dbm_adapter *a;
    const char *name = NULL;
    if (row == NULL) { dbm__fail_null("dbm_row_name: the row is NULL; dbm_rows_next and dbm_query_one give one, or NULL where there is none", NULL); return ""; }
    if (!row->open || (row->op.result == NULL && row->copied == NULL) || i < 0 || i >= row->op.columns) return "";
    if (row->copied != NULL) return row->copied[row->op.columns + i].as.text.data;
    a = row->work->db->adapter;
    if (a->column_name != NULL) name = a->column_name(&row->work->slot.connection, &row->op, i);
    return name != NULL ? name : "";
}

DBM__FN DBM__NOINLINE dbm_status dbm__row_fail(dbm_row *row, dbm_status status, int column, const char *format, ...) {
    char text[600];
    dbm__text t = dbm__text_in(text, sizeof text);
    va_list ap;
    if (row->copied == NULL && row->gen == row->work->gen && row->work->top->sticky != DBM_OK) return dbm__level_again(row->work->top); /* the first one is what matters */
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    if (strcmp(text, "is NULL") == 0) dbm__put(&t, "; take it into a dbm_optional_..., or ask dbm_row_is_null first");
    if (column >= 0) {
        dbm__fail(status, DBM_STAGE_ROW, row->work->db->name, row->site, "column %d (%s) of row %l: %s", column, dbm_row_name(row, column), row->number, text);
    } else {
        dbm__fail(status, DBM_STAGE_ROW, row->work->db->name, row->site, "row %l: %s", row->number, text);
    }
    if (row->copied != NULL) return status; /* the session may be at another call, on a worker */
    return dbm__work_fail(row->work, row->site);
}

/* Why a column can't be read: `st` is what the adapter said, or DBM_OK when it was not asked. */
static DBM__NOINLINE dbm_status dbm__column_bad(dbm_row *row, int i, dbm_status st, dbm_value *out) {
    *out = dbm_null();
    if (row == NULL) return dbm__fail_null("a column is asked for, and the row is NULL; dbm_rows_next and dbm_query_one give one, or NULL where there is none", NULL);
    if (st != DBM_OK) {
        dbm__op_failed(&row->work->slot.connection, DBM_OP_FETCH, st);
        return dbm__work_fail(row->work, row->site);
    }
    if (!row->open || !row->standing) {
        if (row->open && row->gen == row->work->gen && row->work->top->sticky != DBM_OK) return dbm__level_again(row->work->top);
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_ROW, row->work != NULL ? row->work->db->name : NULL, row->site,
                         "no row is in hand: read columns between dbm_rows_next and the next statement or the end of the rows");
        if (row->work != NULL && row->gen == row->work->gen) return dbm__work_fail(row->work, row->site); /* of a session that is still open */
        return DBM_E_MISUSE;
    }
    return dbm__row_fail(row, DBM_E_RANGE, -1, "there is no column %d; columns are 0 to %d", i, row->op.columns - 1);
}

DBM__INLINE dbm_status dbm__column(dbm_row *row, int i, dbm_value *out) {
    dbm_status st = DBM_OK;
    if (DBM__LIKELY(row != NULL) && DBM__LIKELY((unsigned)i < (unsigned)row->readable)
        && DBM__LIKELY((st = row->column(&row->work->slot.connection, &row->op, i, out)) == DBM_OK)) return DBM_OK;
    return dbm__column_bad(row, i, st, out);
}

DBM__FN dbm_status dbm__row_whole(dbm_row *row, int which, dbm_value *out) {
    dbm_status st = DBM_OK;
    if (row != NULL && row->standing) {
        if (!(row->work->db->adapter->flags & DBM_ADAPTER_DOCUMENTS)) {
            *out = dbm_null();
            return dbm__row_fail(row, DBM_E_UNSUPPORTED, -1, "the rows of a backend of type %q are no documents", row->work->db->adapter->type);
        }
        st = row->column(&row->work->slot.connection, &row->op, which, out);
        if (st == DBM_OK) return DBM_OK;
    }
    return dbm__column_bad(row, 0, st, out);
}

static dbm_status dbm__copied_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    (void)c;
    *out = ((const dbm_row *)(const void *)((const char *)op - offsetof(dbm_row, op)))->copied[i];
    return DBM_OK;
}

DBM__FN dbm_row *dbm__row_copy(dbm_row *row, const char *site) {
    dbm__work *w = row->work;
    int i, n = row->op.columns;
    dbm_value values[DBM__MAX_VALUES];
    dbm_rows *copy = 2 * n <= DBM__MAX_VALUES ? dbm__rows_new(w) : NULL;
    if (copy == NULL) return row;
    for (i = 0; i < n && dbm__column(row, i, &values[i]) == DBM_OK; i++) {
        const char *name = dbm_row_name(row, i);
        values[n + i] = dbm_textn(name, strlen(name));
    }
    dbm__rows_reset(w, copy, site);
    if (i < n || dbm__keep_values(w, copy, values, 2 * n, &copy->row.copied) != DBM_OK) {
        dbm__rows_spare(w, copy);
        return row;
    }
    copy->row.op.columns = n;
    copy->row.op.result = NULL;
    copy->row.column = dbm__copied_column;
    dbm__rows_opened(w, copy);
    dbm__row_stand(&copy->row);
    copy->row.ended = false; /* it ends with its call */
    return &copy->row;
}

DBM__DEF int64_t dbm_row_timestamp(dbm_row *row, int i) {
    dbm_value v;
    dbm__why why;
    int64_t x = 0;
    if (dbm__column(row, i, &v) == DBM_OK && dbm__to_timestamp(&v, &x, &why) != DBM_OK) dbm__row_fail(row, DBM_E_RANGE, i, "%s", why.text);
    return x;
}

/* 64 bytes of the cursor's own for a number that is written out. NULL: no memory, which sticks. */
static char *dbm__row_block(dbm_row *row, int i) {
    if (i >= row->texts_columns) {
        char *block = (char *)dbm__resize(row->work->db->host, row->texts, (size_t)row->op.columns * 64u);
        if (block == NULL) {
            dbm__no_memory(DBM_STAGE_ROW, row->work->db->name, row->site);
            dbm__work_fail(row->work, row->site);
            return NULL;
        }
        row->texts = block;
        row->texts_columns = row->op.columns;
    }
    return row->texts + (size_t)i * 64u;
}

DBM__DEF DBM__HOT const char *dbm_row_text(dbm_row *row, int i) {
    dbm_value v;
    char *block;
    size_t size;
    if (DBM__UNLIKELY(dbm__column(row, i, &v) != DBM_OK)) return "";
    if (DBM__LIKELY(v.type == DBM_TYPE_TEXT)) return v.as.text.data;
    if (v.type == DBM_TYPE_NULL) return "";
    if (v.type == DBM_TYPE_BLOB) {
        const char *copy = dbm__row_keep(row, v.as.text.data, v.as.text.size);
        return copy != NULL ? copy : "";
    }
    if (v.type == DBM_TYPE_DECIMAL || v.type == DBM_TYPE_UUID || v.type == DBM_TYPE_JSON) return v.as.text.data != NULL ? v.as.text.data : "";
    block = dbm__row_block(row, i);
    return block != NULL ? dbm__to_text(&v, block, 64, &size) : "";
}

DBM__DEF const void *dbm_row_blob(dbm_row *row, int i, size_t *size) {
    dbm_value v;
    size_t n = 0;
    const char *data;
    char *block;
    if (size != NULL) *size = 0;
    if (dbm__column(row, i, &v) != DBM_OK || v.type == DBM_TYPE_NULL) return NULL;
    if (v.type >= DBM_TYPE_TEXT && v.type != DBM_TYPE_TIMESTAMP) {
        if (size != NULL) *size = v.as.text.size;
        return v.as.text.data != NULL ? v.as.text.data : "";
    }
    block = dbm__row_block(row, i);
    if (block == NULL) return NULL;
    data = dbm__to_text(&v, block, 64, &n);
    if (size != NULL) *size = n;
    return data;
}

DBM__DEF bool dbm_row_is_null(dbm_row *row, int i) {
    dbm_value v;
    return dbm__column(row, i, &v) != DBM_OK || v.type == DBM_TYPE_NULL;
}

DBM__DEF dbm_value dbm_row_value(dbm_row *row, int i) {
    dbm_value v;
    dbm__column(row, i, &v);
    return v;
}

DBM__DEF int dbm_row_columns(dbm_row *row) {
    if (row == NULL) { dbm__fail_null("dbm_row_columns: the row is NULL; dbm_rows_next and dbm_query_one give one, or NULL where there is none", NULL); return 0; }
    return row->op.columns;
}

DBM__DEF int dbm_rows_columns(dbm_rows *rows) {
    if (rows == NULL) { dbm__fail_null("dbm_rows_columns: the rows are NULL; dbm_query gives them", NULL); return 0; }
    return rows->row.op.columns;
}

DBM__DEF const char *dbm_rows_name(dbm_rows *rows, int i) {
    if (rows == NULL) { dbm__fail_null("dbm_rows_name: the rows are NULL; dbm_query gives them", NULL); return ""; }
    return dbm_row_name(&rows->row, i);
}

DBM__FN int dbm__row_find(dbm_row *row, const char *name) {
    int i, like = -1;
    if (row == NULL || name == NULL) return -1;
    for (i = 0; i < row->op.columns && strcmp(dbm_row_name(row, i), name) != 0; i++) if (like < 0 && dbm__same_word(dbm_row_name(row, i), name)) like = i;
    return i < row->op.columns ? i : like;
}

DBM__DEF int dbm_row_index(dbm_row *row, const char *name) {
    char block[400];
    dbm__text t = dbm__text_in(block, sizeof block);
    int i;
    if (row == NULL) { dbm__fail_null("dbm_row_index: the row is NULL; dbm_rows_next and dbm_query_one give one, or NULL where there is none", NULL); return -1; }
    i = dbm__row_find(row, name);
    if (i >= 0) return i;
    for (i = 0; i < row->op.columns; i++) dbm__putf(&t, "%s%s", i != 0 ? ", " : "", dbm_row_name(row, i));
    dbm__row_fail(row, DBM_E_UNKNOWN_NAME, -1, "there is no column %q; there are %s", name != NULL ? name : "(NULL)", block);
    return -1;
}

/* A target whose column can't be had is 0 or "" all the same. */
static void dbm__target_clear(const dbm_target *t) {
    dbm_value v = t->kind == DBM__TO_TEXT || t->kind == DBM__TO_BUFFER ? dbm_textn("", 0) : t->kind == DBM__TO_VALUE || t->kind >= DBM__TO_OPTIONAL_INT || t->kind == DBM__TO_BYTES ? dbm_null() : dbm_int(0);
    char block[64];
    dbm__why why;
    dbm__to_target(&v, t, block, sizeof block, &why);
}

/* What needs no conversion. */
DBM__INLINE bool dbm__target_same(const dbm_value *v, const dbm_target *t) {
    if (v->type == DBM_TYPE_INT) {
        if (DBM__UNLIKELY(t->kind != DBM__TO_INT)) return false;
        if (DBM__LIKELY(t->size == sizeof v->as.integer)) memcpy(t->to, &v->as.integer, sizeof v->as.integer);
        else if (t->size == sizeof(int32_t) && v->as.integer == (int32_t)v->as.integer) *(int32_t *)t->to = (int32_t)v->as.integer;
        else return false;
    } else if (v->type == DBM_TYPE_TEXT) {
        if (DBM__UNLIKELY(t->kind != DBM__TO_TEXT)) return false;
        memcpy(t->to, &v->as.text.data, sizeof v->as.text.data);
    } else {
        if (DBM__UNLIKELY(v->type != DBM_TYPE_DOUBLE || t->kind != DBM__TO_REAL || t->size != sizeof v->as.real)) return false;
        memcpy(t->to, &v->as.real, sizeof v->as.real);
    }
    return true;
}

/* One target of a scan, which is not simply a copy. */
static DBM__NOINLINE dbm_status dbm__scan_one(dbm_row *row, int i, dbm_status st, dbm_value *v, const dbm_target *t) {
    char *block = NULL;
    dbm__why why;
    if (st != DBM_OK) {
        dbm__target_clear(t);
        return dbm__column_bad(row, i, st, v);
    }
    if (t->kind == DBM__TO_TEXT && v->type == DBM_TYPE_BLOB) {
        v->as.text.data = dbm__row_keep(row, v->as.text.data, v->as.text.size);
        if (v->as.text.data == NULL) {
            dbm__target_clear(t);
            return DBM_E_NOMEM;
        }
    } else if (t->kind == DBM__TO_TEXT && v->type != DBM_TYPE_TEXT && v->type != DBM_TYPE_NULL) {
        block = dbm__row_block(row, i);
        if (block == NULL) {
            dbm__target_clear(t);
            return DBM_E_NOMEM;
        }
    }
    st = dbm__to_target(v, t, block, block != NULL ? 64u : 0u, &why);
    return st == DBM_OK ? DBM_OK : dbm__row_fail(row, st, i, "%s", why.text);
}

/* A column of another type, as what the caller asked for. */
static DBM__NOINLINE dbm_status dbm__row_into(dbm_row *row, int i, dbm_value *v, int kind, size_t size, void *to) {
    const dbm_target t = { kind, size, to };
    return dbm__scan_one(row, i, DBM_OK, v, &t);
}
#define DBM__GETTER(name, out_type, value_type, kind, field) \
    DBM__DEF DBM__HOT out_type name(dbm_row *row, int i) { \
        dbm_value v; \
        out_type x; \
        if (DBM__UNLIKELY(dbm__column(row, i, &v) != DBM_OK)) return 0; \
        if (DBM__LIKELY(v.type == value_type)) return (out_type)v.as.field; \
        dbm__row_into(row, i, &v, kind, sizeof x, &x); \
        return x; \
    }
DBM__GETTER(dbm_row_int, int64_t, DBM_TYPE_INT, DBM__TO_INT, integer)
DBM__GETTER(dbm_row_uint, uint64_t, DBM_TYPE_UINT, DBM__TO_UINT, uinteger)
DBM__GETTER(dbm_row_double, double, DBM_TYPE_DOUBLE, DBM__TO_REAL, real)
DBM__GETTER(dbm_row_bool, bool, DBM_TYPE_BOOL, DBM__TO_BOOL, integer)
#undef DBM__GETTER

DBM__DEF DBM__HOT dbm_status dbm__scan(dbm_row *row, const dbm_target *targets, int count) {
    dbm_status result = DBM_OK;
    int i;
    if (DBM__UNLIKELY(row == NULL || !row->standing || count != row->op.columns)) {
        dbm_value v;
        for (i = 0; i < count; i++) dbm__target_clear(&targets[i]);
        if (row == NULL || !row->standing) return dbm__column_bad(row, 0, DBM_OK, &v);
        return dbm__row_fail(row, DBM_E_RANGE, -1, "dbm_scan has %d targets for %d columns", count, row->op.columns);
    }
    for (i = 0; i < count; i++, targets++) {
        dbm_value v;
        dbm_status st = row->column(&row->work->slot.connection, &row->op, i, &v);
        if (DBM__LIKELY(st == DBM_OK) && DBM__LIKELY(dbm__target_same(&v, targets))) continue;
        st = dbm__scan_one(row, i, st, &v, targets);
        if (result == DBM_OK) result = st;
    }
    return result;
}
