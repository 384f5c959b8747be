/* Rows in bulk: a plan that the adapter carries out, or a prepared INSERT run once a row; what it undoes when it fails or is dropped.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: how a backend takes rows. */
#include "session.h"

/* One is open per session at a time, as w->bulk:
 *
 *     begin --> OPEN --row, columns--> OPEN --end--> kept
 *                 +-- a failure: undone, w->bulk NULL, `error` says why until dbm_bulk_end or dbm_bulk_abandon
 *                 +-- abandon, the end of its block, rollback: undone
 *
 * While it is open w->trouble is DBM__BULK_OPEN and nothing else when all is well, so that a row needs to look no further, and every other
 * call on the session comes past dbm__work_trouble(). What it wrote is undone alone: by the ROLLBACK of a transaction that began with it, by the savepoint
 * that was sent with it, or by one of its own. */

/* ---- names -------------------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__bulk_name_bad(dbm__work *w, const char *what, const char *list, const char *at, const char *site) {
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site,
                     at[0] == 0 ? "dbm_bulk_begin: a name is missing at the end of the %s, %q" :
                     "dbm_bulk_begin: %s %q: no name at byte %d; names are letters, digits and _, or quoted as the backend quotes, joined by dots",
                     what, list, (int)(at - list) + 1);
}

static bool dbm__name_char(char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || ((unsigned char)c & 0x80u) != 0 || (!first && c >= '0' && c <= '9');
}

/* The end of a name that begins at p, NULL when there is none: parts joined by dots, each bare or quoted. */
static const char *dbm__name_end(const char *p, unsigned lexer, const char **bad) {
    for (;; p++) {
        char close = *p == '`' && lexer & DBM_LEX_BACKTICKS ? '`' : *p == '"' && !(lexer & DBM_LEX_BACKSLASH) ? '"' :
                     *p == '[' && lexer & DBM_LEX_BRACKETS ? ']' : (char)0;
        *bad = p;
        if (close != 0) {
            const char *from = p;
            for (p++; *p != 0 && (*p != close || (p[1] == close && close != ']')); p++) if (*p == close) p++;
            if (*p == 0 || p == from + 1) return NULL;
            p++;
        } else {
            if (!dbm__name_char(*p, true)) return NULL;
            while (dbm__name_char(*p, false)) p++;
        }
        if (*p != '.') return p;
    }
}

static const char *dbm__blanks(const char *p) {
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
    return p;
}

/* One name and the blanks around it; other languages have names that only their commas end. Copies it to `to`, with a NUL, and answers what
 * follows, or NULL. */
static const char *dbm__name_take(const char *p, unsigned lexer, bool list, char **to, const char **bad) {
    const char *end;
    size_t n;
    p = dbm__blanks(p);
    if (lexer & DBM_LEX_NOT_SQL) {
        end = p + (list ? strcspn(p, ",") : strlen(p));
        for (n = (size_t)(end - p); n != 0 && dbm__blanks(p + n - 1) != p + n - 1; n--) {}
        *bad = p;
        if (n == 0) return NULL;
    } else {
        end = dbm__name_end(p, lexer, bad);
        if (end == NULL) return NULL;
        n = (size_t)(end - p);
        end = dbm__blanks(end);
    }
    memcpy(*to, p, n);
    *to += n;
    *(*to)++ = 0;
    *bad = end;
    return *end == 0 || (list && *end == ',') ? end : NULL;
}

/* Fills in the plan: names, and the INSERT. All of it lies in one block that the bulk keeps. */
static dbm_status dbm__bulk_names(dbm__work *w, dbm_bulk *b, const char *table, const char *columns, const char *site) {
    const dbm_adapter *a = w->db->adapter;
    size_t table_size, names_size, need;
    const char *p = columns, *bad = NULL;
    char *to;
    dbm__text sql;
    int i;
    if (table == NULL || columns == NULL || columns[0] == 0) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site,
                         table == NULL ? "dbm_bulk_begin: the table's name is NULL" : "dbm_bulk_begin: name the columns, as in \"id,name\"");
    }
    table_size = strlen(table);
    names_size = strlen(columns);
    if (table_size > 65536 || names_size > 65536) return dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, w->db->name, site, "dbm_bulk_begin: names of more than 65536 bytes");
    /* Each name twice, once by itself and once in the INSERT, with room for ", $64" and the words around. */
    need = 2 * (table_size + names_size) + DBM__MAX_VALUES * 8 + 64;
    if (need > b->names_size) {
        char *block = (char *)dbm__resize(w->db->host, b->names, need);
        if (block == NULL) return dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
        b->names = block;
        b->names_size = need;
    }
    to = b->names;
    b->plan.table = to;
    if (dbm__name_take(table, a->lexer, false, &to, &bad) == NULL) return dbm__bulk_name_bad(w, "table", table, bad, site);
    for (i = 0;; p++) {
        if (i == DBM__MAX_VALUES) return dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, w->db->name, site, "dbm_bulk_begin: more than %d columns", (int)DBM__MAX_VALUES);
        b->columns[i++] = to;
        p = dbm__name_take(p, a->lexer, true, &to, &bad);
        if (p == NULL) return dbm__bulk_name_bad(w, "columns", columns, bad, site);
        if (*p == 0) break;
    }
    b->plan.columns = b->columns;
    b->plan.column_count = i;
    if (a->lexer & DBM_LEX_NOT_SQL) return DBM_OK;
    sql = dbm__text_in(to, b->names_size - (size_t)(to - b->names));
    dbm__putf(&sql, "INSERT INTO %s (", b->plan.table);
    for (i = 0; i < b->plan.column_count; i++) dbm__putf(&sql, "%s%s", i != 0 ? ", " : "", b->columns[i]);
    dbm__put(&sql, ") VALUES (");
    for (i = 0; i < b->plan.column_count; i++) {
        if (a->placeholders == DBM_PH_DOLLAR) dbm__putf(&sql, "%s$%d", i != 0 ? ", " : "", i + 1);
        else dbm__put(&sql, i != 0 ? ", ?" : "?");
    }
    dbm__put(&sql, ")");
    DBM_ASSERT(!sql.cut);
    b->plan.sql = to;
    b->plan.sql_size = sql.size;
    return DBM_OK;
}

/* ---- ending -------------------------------------------------------------------------------------------------------------------------- */

/* The session is its own again. */
static void dbm__bulk_detach(dbm_bulk *b) {
    dbm__work *w = b->work;
    if (b->entry != NULL) dbm__cache_give(&w->slot.connection, b->entry);
    b->entry = NULL;
    w->bulk = NULL;
    if (b->own_point) w->points--;
    if (b->wrapped) w->no_transaction = true;
    b->own_point = b->wrapped = false;
    dbm__work_look_again(w);
}

DBM__FN dbm_op *dbm__bulk_dropping(dbm_bulk *b) {
    dbm__work *w = b->work;
    bool broken = w->slot.connection.broken;
    if (!b->own_way) return NULL;
    b->plan.abandon = true;
    b->op.kind = DBM_OP_BULK_END;
    b->op.deadline_us = broken ? dbm__deadline(w->db->host, 100) : dbm__work_grace(w); /* broken: for the adapter to free what it has */
    if (dbm__load(&w->cancelled) != 0) dbm__work_shield(w); /* a cancel in flight must not hit what follows */
    return &b->op;
}

DBM__FN dbm_op *dbm__bulk_dropped(dbm_bulk *b, dbm_op *op, dbm_status st) {
    dbm__work *w = b->work;
    if (b->own_way && st != DBM_OK) w->slot.connection.broken = true;
    b->own_way = false;
    if (!w->in_transaction || w->slot.connection.broken || b->point < 0 || w->points_sent < b->point) return NULL;
    dbm__op_init(op, b->point == 0 ? DBM_OP_ROLLBACK : DBM_OP_ROLLBACK_TO, dbm__work_grace(w));
    op->savepoint = b->point;
    if (dbm__load(&w->cancelled) != 0) dbm__work_shield(w);
    return op;
}

DBM__FN bool dbm__bulk_undone(dbm_bulk *b, dbm_status st) {
    dbm__work *w = b->work;
    dbm_connection *c = &w->slot.connection;
    bool undone = !b->sent;
    if (st != DBM_OK) c->broken = true; /* an open transaction never goes to the next user */
    dbm__store(&w->committing, 0);
    if (w->in_transaction && b->point >= 0) undone = !c->broken;
    if (w->in_transaction && b->point == 0) {
        w->in_transaction = w->wrote = false;
        w->points_sent = 0;
        dbm__work_gate_leave(w);
    } else if (w->in_transaction && b->point > 0 && undone && w->points_sent >= b->point) {
        w->points_sent = b->point - 1;
    }
    if (w->no_transaction) dbm__work_gate_leave(w);
    dbm__bulk_detach(b);
    return undone;
}

/* Drops an open bulk: the adapter forgets it, and what was sent is undone, where that can be. The thread's last failure stays as it is; *why (or
 * NULL) gets the one that broke the connection meanwhile. Answers whether nothing of it is left. */
static bool dbm__bulk_undo(dbm_bulk *b, dbm_error_info *why) {
    dbm_connection *c = &b->work->slot.connection;
    dbm_error_info kept = dbm__self()->last;
    bool undone, was_broken = c->broken;
    dbm_op own, *op = dbm__bulk_dropping(b);
    op = dbm__bulk_dropped(b, &own, op != NULL ? dbm__op_run(c, op) : DBM_OK);
    undone = dbm__bulk_undone(b, op != NULL ? dbm__op_run(c, op) : DBM_OK);
    if (why != NULL && c->broken && !was_broken) *why = dbm__self()->last;
    dbm__self()->last = kept;
    return undone;
}

DBM__FN dbm_status dbm__bulk_failure(dbm_bulk *b, bool undone) {
    dbm__work *w = b->work;
    b->fails = false;
    dbm__self()->last = b->error;
    dbm__work_fail(w, b->site);
    b->error = dbm__self()->last;
    if (b->fresh && undone && w->top->sticky != DBM_OK && !w->slot.connection.broken) w->top->undone = true;
    return b->error.status;
}

/* What stands as this thread's last failure has failed the bulk. */
static DBM__NOINLINE dbm_status dbm__bulk_failed(dbm_bulk *b) {
    if (b->error.status == DBM_OK) b->error = dbm__self()->last;
    b->fresh = b->work->top->sticky == DBM_OK;
    b->fails = b->stepped;
    return b->stepped ? b->error.status : dbm__bulk_failure(b, dbm__bulk_undo(b, NULL));
}

/* The same of a row, or of one among those that were sent; said in front. */
DBM__FN DBM__NOINLINE dbm_status dbm__bulk_row_failed(dbm_bulk *b, int64_t row, dbm_status st) {
    dbm_error_info *e = &dbm__self()->last;
    dbm__work *w = b->work;
    char text[700];
    dbm__work_doubt(w, st);
    if (e->status != DBM_E_NOMEM) {
        dbm__text t = dbm__text_in(text, sizeof text);
        if (row >= 0) dbm__putf(&t, "row %l of the bulk (from 0)", row);
        else if (b->plan.rows != 0) dbm__putf(&t, "one of the first %l rows of the bulk", b->plan.rows);
        else dbm__put(&t, "the bulk");
        if (b->plan.failed_column >= 0 && b->plan.failed_column < b->plan.column_count) dbm__putf(&t, ", column %s", b->columns[b->plan.failed_column]);
        dbm__putf(&t, " for %s: %s", b->plan.table, e->message);
        dbm__copy_cut(e->message, sizeof e->message, text);
        dbm__redact(w->db->settings, e->message);
    }
    return dbm__bulk_failed(b);
}

static bool dbm__bulk_of_parent(const dbm_bulk *b) {
    dbm__fork_look();
    return dbm__load(&b->work->slot.pool->fork) != dbm__fork_epoch();
}

DBM__FN DBM__NOINLINE dbm_status dbm__bulk_bad(dbm_bulk *b) {
    dbm__work *w;
    if (b == NULL) return dbm__fail_null("a call on a bulk that is NULL; dbm_bulk_begin gives one", NULL);
    w = b->work;
    if (w->bulk == b && dbm__work_busy(w, b->site)) return DBM_E_MISUSE; /* the loop has it */
    if (dbm__bulk_of_parent(b)) return dbm__fail(DBM_E_FORKED, DBM_STAGE_STATEMENT, w->db->name, b->site, "the bulk was open when the process forked; it belongs to the parent");
    if (w->bulk != b) {
        if (b->error.status != DBM_OK) return dbm__fail_again(&b->error);
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, b->site, "this bulk has ended, by dbm_bulk_end, dbm_bulk_abandon or with its session");
    }
    if (b->gen != w->gen) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, b->site, "the bulk is used while the block of %s inside its session is open: end that one first",
                  w->top->site);
        return dbm__work_fail(w, b->site);
    }
    if (w->top->sticky != DBM_OK || dbm__load(&w->cancelled) != 0) {
        w->bulk = NULL; /* so that it is not what stands in the way */
        dbm__work_trouble(w, b->site);
        w->bulk = b;
        return dbm__bulk_failed(b);
    }
    dbm__work_look_again(w);
    return DBM_OK;
}

/* Whether a row can be taken. With a deadline it is looked at for each. */
DBM__INLINE dbm_status dbm__bulk_ready(dbm_bulk *b) {
    dbm__work *w;
    if (DBM__UNLIKELY(b == NULL)) return dbm__bulk_bad(b);
    w = b->work;
    dbm__fork_look();
    if (DBM__UNLIKELY(w->bulk != b || b->gen != w->gen || dbm__load(&w->trouble) != DBM__BULK_OPEN || dbm__load(&w->slot.pool->fork) != dbm__fork_epoch())) {
        return dbm__bulk_bad(b);
    }
    return DBM_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------------------------- */

/* A failure of a single row, which says nothing of the next one. */
static bool dbm__row_alone(const dbm__work *w, dbm_status st) {
    return !w->slot.connection.broken && (st == DBM_E_CONSTRAINT || st == DBM_E_RANGE || st == DBM_E_SQL || st == DBM_E_MISUSE || st == DBM_E_LIMIT);
}

static void dbm__bulk_refused(dbm_bulk_plan *plan, int64_t row) {
    dbm_bulk *b = (dbm_bulk *)(void *)((char *)plan - offsetof(dbm_bulk, plan));
    dbm_error_info e = dbm__self()->last;
    b->refused++;
    if (e.site[0] == 0) dbm__copy_cut(e.site, sizeof e.site, b->site);
    if (b->failed != NULL) b->failed(b->failed_ud, row, &e);
}

/* Without a way of the adapter's own: the INSERT, once. Where a failure would take the transaction with it, a row by itself is a savepoint. */
static DBM__NOINLINE dbm_status dbm__bulk_insert(dbm_bulk *b, const dbm_value *values) {
    dbm__work *w = b->work;
    dbm_connection *c = &w->slot.connection;
    dbm_op op;
    dbm_status st;
    bool point = b->plan.each_row && w->in_transaction && w->db->savepoints && !(w->db->adapter->flags & DBM_ADAPTER_FAILS_ALONE);
    if (point) {
        dbm__op_init(&op, DBM_OP_SAVEPOINT, b->op.deadline_us);
        op.savepoint = w->points_sent + 1;
        st = dbm__op_run(c, &op);
        if (st != DBM_OK) {
            c->broken = c->broken || st != DBM_E_CANCELLED;
            return st;
        }
        w->points_sent++;
    }
    b->op.kind = DBM_OP_EXECUTE;
    b->op.values = values;
    b->op.value_count = b->plan.column_count;
    b->op.result = NULL;
    b->op.affected = b->op.last_id = -1;
    b->op.ended = b->op.settled = b->op.row = false;
    b->sent = true;
    st = dbm__op_run(c, &b->op);
    if (DBM__UNLIKELY(b->op.result != NULL)) {
        b->op.kind = DBM_OP_FINISH;
        dbm__op_run(c, &b->op);
    }
    if (st == DBM_DONE) st = DBM_OK;
    if (st == DBM_OK && b->op.affected > 0) b->affected += b->op.affected;
    if (point) {
        dbm_status undone;
        if (st == DBM_OK) st = undone = dbm__work_point_release(w, w->points_sent);
        else undone = dbm__work_point_rollback(w, w->points_sent);
        if (undone != DBM_OK) c->broken = true;
    }
    return st;
}

/* BULK_SEND or BULK_END, with a time limit of its own. */
DBM__FN dbm_op *dbm__bulk_op(dbm_bulk *b, dbm_op_kind kind) {
    b->op.kind = kind;
    b->op.deadline_us = dbm__work_deadline(b->work);
    b->op.affected = -1;
    b->sent = true;
    return &b->op;
}

/* A row, or the one after *taken rows, was not simply taken. A failure is of the call that passes the row. */
static DBM__NOINLINE dbm_status dbm__bulk_took(dbm_bulk *b, dbm_status st, const char *site) {
    dbm__work *w = b->work;
    const char *begun = b->site;
    if (st == DBM_DONE) {
        b->full = b->stepped;
        st = b->stepped ? DBM_OK : dbm__op_run(&w->slot.connection, dbm__bulk_op(b, DBM_OP_BULK_SEND));
        return st == DBM_OK ? DBM_OK : dbm__bulk_row_failed(b, b->plan.failed_row, st);
    }
    if (b->own_way) dbm__op_failed(&w->slot.connection, DBM_OP_BULK, st);
    b->site = site;
    if (b->plan.each_row && dbm__row_alone(w, st)) {
        dbm__bulk_refused(&b->plan, b->plan.rows++);
        b->site = begun;
        b->plan.failed_row = b->plan.failed_column = -1;
        return DBM_OK;
    }
    return dbm__bulk_row_failed(b, b->plan.failed_row >= 0 ? b->plan.failed_row : b->plan.rows, st);
}

static DBM__NOINLINE dbm_status dbm__bulk_timed(dbm_bulk *b) {
    b->op.deadline_us = dbm__work_deadline(b->work);
    if (dbm__now(b->work->db->host) < b->work->top->deadline_us) return DBM_OK;
    dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, b->work->db->name, b->site, "the session's deadline (timeout_ms) passed");
    return dbm__bulk_row_failed(b, b->plan.rows, DBM_E_TIMEOUT);
}

/* What is wrong with a row before the adapter sees it. */
DBM__FN DBM__NOINLINE dbm_status dbm__bulk_row_wrong(dbm_bulk *b, int count, bool named, dbm_status st, const char *site) {
    b->site = site;
    if (st == DBM_OK && named) {
        st = dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, b->work->db->name, b->site, "the values of a bulk go by position, without dbm_named()");
    } else if (st == DBM_OK) {
        st = dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, b->work->db->name, b->site, "the bulk has %d column%s and the row passes %d value%s", b->plan.column_count,
                       b->plan.column_count == 1 ? "" : "s", count, count == 1 ? "" : "s");
    }
    return dbm__bulk_row_failed(b, b->plan.rows, st);
}

DBM__INLINE dbm_status dbm__bulk_take(dbm_bulk *b, const dbm_value *values, const char *site) {
    dbm__work *w = b->work;
    dbm_status st;
    if (DBM__UNLIKELY(w->timed) && (st = dbm__bulk_timed(b)) != DBM_OK) return st;
    st = DBM__LIKELY(b->own_way) ? w->db->adapter->bulk_row(&w->slot.connection, &b->op, values) : dbm__bulk_insert(b, values);
    if (DBM__LIKELY(st == DBM_OK)) {
        b->plan.rows++;
        return DBM_OK;
    }
    if (st == DBM_DONE) b->plan.rows++;
    return dbm__bulk_took(b, st, site);
}

DBM__FN dbm_status dbm__bulk_pass(dbm_bulk *b, const dbm_value *values, int count, const char *site) {
    bool named = false;
    int i;
    for (i = 0; i < count; i++) if (values[i].name != NULL) named = true;
    return named || count != b->plan.column_count ? dbm__bulk_row_wrong(b, count, named, DBM_OK, site) : dbm__bulk_take(b, values, site);
}

DBM__DEF dbm_status dbm__bulk_row(const char *site, dbm_bulk *b, const char *codes, ...) {
    dbm_value values[DBM__MAX_VALUES];
    bool named = false;
    int count = 0;
    va_list ap;
    dbm_status st = dbm__bulk_ready(b);
    if (DBM__UNLIKELY(st != DBM_OK)) return st;
    va_start(ap, codes);
    st = dbm__values_read(values, &count, &named, codes, ap);
    va_end(ap);
    if (DBM__UNLIKELY(st != DBM_OK || named || count != b->plan.column_count)) return dbm__bulk_row_wrong(b, count, named, st, site);
    return dbm__bulk_take(b, values, site);
}

DBM__DEF dbm_status dbm__bulk_rowv(const char *site, dbm_bulk *b, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    dbm_status st = dbm__bulk_ready(b);
    if (st != DBM_OK) return st;
    if (count != b->plan.column_count || values == NULL) return dbm__bulk_row_wrong(b, values != NULL ? count : 0, false, DBM_OK, site);
    memcpy(copy, values, (size_t)count * sizeof *copy);
    st = dbm__values_check(copy, count, b->work->db->name, site);
    return st != DBM_OK ? dbm__bulk_row_wrong(b, count, false, st, site) : dbm__bulk_pass(b, copy, count, site);
}

/* ---- arrays -------------------------------------------------------------------------------------------------------------------------- */

/* Whether the C type of a column can be what .type says. */
static bool dbm__column_type_fits(const dbm_column *c) {
    bool text = c->kind == DBM__TO_TEXT || c->kind == DBM__TO_BUFFER;
    return c->type == DBM_TYPE_NULL || (c->type == DBM_TYPE_TIMESTAMP && c->kind == DBM__TO_INT) ||
           (text && (c->type == DBM_TYPE_TEXT || c->type == DBM_TYPE_DECIMAL || c->type == DBM_TYPE_UUID || c->type == DBM_TYPE_JSON));
}

static dbm_status dbm__bulk_columns_check(dbm_bulk *b, const dbm_column *columns, int count, size_t rows) {
    const char *database = b->work->db->name;
    int i;
    if (columns == NULL || count != b->plan.column_count) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, b->site, "the bulk has %d column%s and dbm_bulk_columns passes %d", b->plan.column_count,
                  b->plan.column_count == 1 ? "" : "s", columns != NULL ? count : 0);
        return dbm__bulk_row_failed(b, -1, DBM_E_MISUSE);
    }
    for (i = 0; i < count; i++) {
        const dbm_column *c = &columns[i];
        if ((c->data != NULL || rows == 0) && c->kind > 0 && c->kind <= DBM__TO_OPTIONAL_BOOL && dbm__column_type_fits(c)) continue;
        b->plan.failed_column = i;
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, b->site, c->data == NULL ? "the array is NULL" :
                  "its C type can't be what the dbm_column says: timestamps are int64_t, decimals, UUIDs and JSON are texts");
        return dbm__bulk_row_failed(b, -1, DBM_E_MISUSE);
    }
    return DBM_OK;
}

/* Row i of arrays, made to values. */
static dbm_status dbm__bulk_row_of(dbm_bulk *b, const dbm_column *columns, size_t i) {
    dbm_value values[DBM__MAX_VALUES];
    int k;
    for (k = 0; k < b->plan.column_count; k++) {
        dbm_status st = dbm_adapter_element(&columns[k], i, &values[k]);
        if (DBM__LIKELY(st == DBM_OK)) continue;
        b->plan.failed_column = k;
        dbm__fail(st, DBM_STAGE_STATEMENT, b->work->db->name, b->site, "the element %s", dbm__element_wrong(columns[k].kind));
        if (!b->plan.each_row) return dbm__bulk_row_failed(b, b->plan.rows, st);
        dbm__bulk_refused(&b->plan, b->plan.rows++);
        b->plan.failed_column = -1;
        return DBM_OK;
    }
    return dbm__bulk_take(b, values, b->site);
}

DBM__FN dbm_status dbm__bulk_pass_columns(dbm_bulk *b, const dbm_column *columns, int count, size_t rows, size_t *at) {
    const dbm_adapter *a;
    bool arrays;
    dbm_status st = dbm__bulk_ready(b);
    if (st == DBM_OK) st = dbm__bulk_columns_check(b, columns, count, rows);
    if (st != DBM_OK) return st;
    a = b->work->db->adapter;
    arrays = b->own_way && a->bulk_columns != NULL;
    while (st == DBM_OK && *at < rows && !b->full) {
        size_t taken = 0, left = rows - *at;
        if (*at != 0 && *at % 64 == 0 && (st = dbm__bulk_ready(b)) != DBM_OK) return st; /* also cancelled */
        if (!arrays) {
            st = dbm__bulk_row_of(b, columns, (*at)++);
            continue;
        }
        if (b->work->timed && (st = dbm__bulk_timed(b)) != DBM_OK) return st;
        st = a->bulk_columns(&b->work->slot.connection, &b->op, columns, *at, left < 4096 ? left : 4096, &taken);
        if (st == DBM_E_UNSUPPORTED && taken == 0) {
            arrays = false;
            st = DBM_OK;
            continue;
        }
        b->plan.rows += (int64_t)taken;
        *at += taken;
        if (st == DBM_OK) continue;
        if (st != DBM_DONE) ++*at; /* the one that was refused, if the bulk goes on */
        st = dbm__bulk_took(b, st, b->site);
        if (st == DBM_OK && *at < rows && !b->full) st = dbm__bulk_ready(b);
    }
    return st;
}

DBM__DEF dbm_status dbm_bulk_columns(dbm_bulk *b, const dbm_column *columns, int count, size_t rows) {
    size_t at = 0;
    return dbm__bulk_pass_columns(b, columns, count, rows, &at);
}

/* ---- beginning and ending ------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__bulk_starts(dbm_bulk *b) {
    dbm__work *w = b->work;
    w->top->ran = true;
    dbm__store(&w->slot.statements, w->slot.statements + 1u);
    dbm__op_init(&b->op, DBM_OP_BULK, dbm__work_deadline(w));
    b->op.bulk = &b->plan;
    b->op.prepared = b->entry != NULL ? &b->entry->prepared : NULL;
}

DBM__FN dbm_status dbm__bulk_inserts(dbm_bulk *b, dbm_status st) {
    dbm__work *w = b->work;
    b->own_way = st == DBM_OK;
    if (st == DBM_E_UNSUPPORTED) {
        if (b->plan.sql == NULL) {
            return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_STATEMENT, w->db->name, b->site, "a backend of type %q takes no rows in bulk%s", w->db->adapter->type,
                             b->plan.each_row && w->db->adapter->bulk_row != NULL ? " with .each_row" : "");
        }
        st = b->entry != NULL ? DBM_OK : dbm__cache_take(&w->slot.connection, b->plan.sql, false, dbm__work_deadline(w), b->site, &b->entry);
        if (st != DBM_OK) return st;
        b->op.sql = b->entry->prepared.sql;
        b->op.sql_size = b->entry->prepared.sql_size;
        b->op.prepared = &b->entry->prepared;
    }
    if (st != DBM_OK) return st;
    if (w->echo) dbm__echo(w, b->plan.sql != NULL ? b->plan.sql : b->plan.table, NULL, 0, b->site);
    dbm__work_look_again(w);
    return DBM_OK;
}

/* Sends what must come first, and BULK, or gets the INSERT ready. */
static dbm_status dbm__bulk_start(dbm__work *w, dbm_bulk *b) {
    const dbm_adapter *a = w->db->adapter;
    dbm_connection *c = &w->slot.connection;
    dbm_status st = DBM_OK;
    bool prepared = a->bulk_row == NULL || (a->flags & DBM_ADAPTER_BULK_PREPARED) != 0;
    if (w->open_rows != 0) st = dbm__rows_hold(w, b->site);
    if (st == DBM_OK && b->plan.sql != NULL && prepared) st = dbm__cache_take(c, b->plan.sql, false, dbm__work_deadline(w), b->site, &b->entry);
    if (st == DBM_OK) st = dbm__work_start(w, true, b->site);
    if (st != DBM_OK) return st;
    dbm__bulk_starts(b);
    return dbm__bulk_inserts(b, a->bulk_row != NULL ? dbm__op_run(c, &b->op) : DBM_E_UNSUPPORTED);
}

/* The place in w->bulks that was used longest ago: a handle that is used after its end then stands for nothing for some time. */
static dbm_bulk *dbm__bulk_new(dbm__work *w) {
    dbm_bulk **place = &w->bulks[w->bulk_next++ % DBM__SPARE];
    if (*place == NULL) *place = (dbm_bulk *)dbm__alloc_zero(w->db->host, sizeof **place);
    return *place;
}

/* One that is the session's from here on. */
DBM__FN dbm_status dbm__bulk_make(dbm__work *w, dbm_bulk **out, const char *table, const char *columns, const dbm_bulk_options *options, const char *site) {
    dbm_bulk *b = NULL;
    const char *none = NULL;
    const dbm_value *no_values = NULL;
    dbm_status st = dbm__work_settle(w); /* what was sent before is none of the bulk's failures */
    if (st != DBM_OK) return st;
    if (w->read_only) {
        st = dbm__fail(DBM_E_READ_ONLY, DBM_STAGE_STATEMENT, w->db->name, site, "the session is .read_only and a bulk writes");
    } else if (w->timed && dbm__now(w->db->host) >= w->top->deadline_us) {
        st = dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, w->db->name, site, "the session's deadline (timeout_ms) passed before the bulk began");
    } else if ((b = dbm__bulk_new(w)) == NULL) {
        st = dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
    } else {
        memset(b, 0, offsetof(dbm_bulk, names));
        b->work = w;
        b->gen = w->gen;
        b->site = site;
        b->error.status = DBM_OK;
        if (options != NULL) {
            b->failed = options->failed;
            b->failed_ud = options->failed_ud;
            b->plan.each_row = options->each_row;
        }
        b->plan.failed_row = b->plan.failed_column = -1;
        b->plan.refused = dbm__bulk_refused;
        st = dbm__bulk_names(w, b, table, columns, site); /* before the row of dbm_query_one ends: the names may be its texts */
    }
    if (st != DBM_OK || b == NULL) return dbm__work_fail(w, site);
    if (w->one.row.open && (st = dbm__one_end(w, &none, &no_values, 0, site)) != DBM_OK) return st;
    b->wrapped = w->no_transaction && w->db->transactions;
    if (b->wrapped) w->no_transaction = false;
    if (w->no_transaction) b->point = -1;
    else if (!w->in_transaction) b->point = 0;
    else if (!w->db->savepoints) b->point = -1;
    else {
        b->point = w->points_sent + 1;
        b->own_point = w->points_sent == w->points;
        if (b->own_point) w->points++;
    }
    *out = w->bulk = b;
    return DBM_OK;
}

static dbm_status dbm__bulk_open(dbm__work *w, dbm_bulk **out, const char *table, const char *columns, const dbm_bulk_options *options, const char *site) {
    dbm_bulk *b = NULL;
    bool was_clean = !w->in_transaction;
    dbm_status st = dbm__bulk_make(w, &b, table, columns, options, site);
    if (st != DBM_OK || b == NULL) return st;
    st = dbm__bulk_start(w, b);
    if (st != DBM_OK && dbm__may_replace(w, st, was_clean, false)) { /* no row has been sent */
        if (b->entry != NULL) dbm__cache_give(&w->slot.connection, b->entry);
        b->entry = NULL;
        st = dbm__work_renew(w) == DBM_OK ? dbm__bulk_start(w, b) : dbm__self()->last.status;
    }
    if (st != DBM_OK) return dbm__bulk_close(b, dbm__bulk_row_failed(b, -1, st));
    *out = b;
    return DBM_OK;
}

DBM__DEF dbm_status dbm__bulk_begin(dbm_session *on, dbm_bulk **out, const char *table, const char *columns, const dbm_bulk_options *options,
                                    const char *site) {
    dbm__call call;
    dbm_status st;
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_bulk_begin: out is NULL");
    *out = NULL;
    st = dbm__call_begin(&call, on, DBM__KIND_ROWS, site);
    if (st != DBM_OK) return st;
    st = dbm__bulk_open(call.work, out, table, columns, options, site);
    if (st != DBM_OK) return dbm__call_end(&call, st);
    DBM_ASSERT(*out != NULL);
    (*out)->owns_session = call.owns;
    return DBM_OK;
}

/* One on a database gives its connection back. */
DBM__FN dbm_status dbm__bulk_close(dbm_bulk *b, dbm_status st) {
    b->error.status = DBM_OK;
    if (b->owns_session) {
        dbm__call call;
        b->owns_session = false;
        call.work = b->work;
        call.own.slot = b->work;
        call.own.gen = b->gen;
        call.own.step = 0;
        call.owns = true;
        dbm__call_end(&call, st);
    }
    return st;
}

DBM__FN bool dbm__bulk_ended(dbm_bulk *b) {
    dbm__work *w = b->work;
    bool wrapped = b->wrapped;
    if (b->op.kind == DBM_OP_BULK_END) b->affected = b->op.affected >= 0 ? b->op.affected : b->plan.rows - b->refused;
    if (b->own_point && w->points_sent >= b->point) w->points_sent = b->point - 1;
    w->affected = b->affected;
    w->last_id = 0;
    if (b->affected > 0 || b->refused > 0) w->wrote = w->top->wrote = true;
    if (w->no_transaction) dbm__work_gate_leave(w);
    dbm__bulk_detach(b);
    return wrapped;
}

DBM__FN dbm_status dbm__bulk_ending(dbm_bulk *b) {
    dbm_status st = dbm__bulk_ready(b);
    return st == DBM_OK && b->work->timed ? dbm__bulk_timed(b) : st;
}

DBM__DEF dbm_status dbm_bulk_end(dbm_bulk *b) {
    dbm_status st = dbm__bulk_ending(b);
    if (st != DBM_OK) return b != NULL && b->work->bulk != b && b->error.status != DBM_OK && !dbm__bulk_of_parent(b) ? dbm__bulk_close(b, st) : st;
    if (b->own_way) {
        st = dbm__op_run(&b->work->slot.connection, dbm__bulk_op(b, DBM_OP_BULK_END));
        b->own_way = false; /* ended in either case */
    }
    if (st == DBM_OK && b->own_point) st = dbm__work_point_release(b->work, b->point);
    if (st != DBM_OK) return dbm__bulk_close(b, dbm__bulk_row_failed(b, b->plan.failed_row, st));
    if (dbm__bulk_ended(b)) st = dbm__work_commit(b->work);
    return dbm__bulk_close(b, st);
}

DBM__FN dbm_status dbm__bulk_abandoned(dbm_bulk *b, bool undone, const dbm_error_info *why) {
    dbm__work *w = b->work;
    if (!undone && !w->no_transaction && !w->slot.connection.broken) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_STATEMENT, w->db->name, b->site, "dbm_bulk_abandon: a backend of type %q has no savepoints, so that the bulk can't be undone "
                  "alone: let the session end, or call dbm_rollback(s)", w->db->adapter->type);
        return dbm__bulk_close(b, dbm__work_fail(w, b->site));
    }
    if (w->slot.connection.broken && (w->in_transaction || w->open_rows != 0 || w->slot.connection.state != DBM_STATE_NONE)) { /* what came before the bulk is gone with it */
        if (why->status != DBM_OK) dbm__self()->last = *why;
        else dbm__fail(DBM_E_LOST, DBM_STAGE_STATEMENT, w->db->name, b->site, "the connection was lost before the bulk was dropped");
        return dbm__bulk_close(b, dbm__work_fail(w, b->site));
    }
    return dbm__bulk_close(b, DBM_OK);
}

DBM__DEF dbm_status dbm_bulk_abandon(dbm_bulk *b) {
    dbm_error_info why;
    bool undone, owns;
    dbm_status st;
    if (b == NULL) return dbm__fail_null("dbm_bulk_abandon: the bulk is NULL; dbm_bulk_begin gives one", NULL);
    why.status = DBM_OK;
    if (!dbm__bulk_of_parent(b) && b->work->bulk != b && b->error.status != DBM_OK) return dbm__bulk_close(b, DBM_OK); /* it has failed, and left nothing */
    if (dbm__bulk_of_parent(b) || b->work->bulk != b || b->gen != b->work->gen || dbm__work_busy(b->work, b->site)) return dbm__bulk_bad(b);
    owns = b->owns_session;
    undone = dbm__bulk_undo(b, &why);
    st = dbm__bulk_abandoned(b, undone, &why);
    if (st != DBM_OK || owns || !b->work->slot.connection.broken) return st;
    return dbm__work_renew(b->work) == DBM_OK ? DBM_OK : dbm__work_fail(b->work, b->site); /* the session goes on, so with another one */
}

DBM__FN void dbm__bulk_left(dbm_bulk *b) {
    dbm__work *w = b->work;
    if (b->plan.rows == 0) return;
    w->top->wrote = true;
    if (w->no_transaction && w->top->sticky == DBM_OK) {
        dbm__fail(DBM_E_LEFT_EARLY, DBM_STAGE_STATEMENT, w->db->name, b->site, "the bulk of %s was left before dbm_bulk_end, so its rows were dropped%s", b->site,
                  w->db->transactions ? "" : ", as far as they had not been sent");
        dbm__level_stick(w, w->top, &dbm__self()->last, 0);
    }
}

DBM__FN void dbm__bulk_leave(dbm__work *w, dbm__level *level) {
    dbm_bulk *b = w->bulk;
    if (b->gen != level->gen) return;
    dbm__bulk_undo(b, NULL);
    dbm__bulk_left(b);
}

DBM__FN dbm_status dbm__bulk_forgotten(dbm__work *w) {
    dbm__fail(DBM_E_MISUSE, DBM_STAGE_COMMIT, w->db->name, w->bulk->site, "the block ends while the bulk of %s is open: say dbm_bulk_end(b) to keep its rows, or "
              "dbm_bulk_abandon(b)", w->bulk->site);
    return dbm__work_fail(w, NULL);
}

DBM__FN dbm_status dbm__bulk_in_the_way(dbm__work *w, const char *site) {
    dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "the bulk of %s is open: nothing else runs on its session before dbm_bulk_end or dbm_bulk_abandon",
              w->bulk->site);
    return dbm__work_fail(w, site);
}

DBM__FN void dbm__bulks_free(dbm__work *w) {
    int i;
    for (i = 0; i < DBM__SPARE; i++) {
        if (w->bulks[i] != NULL) dbm__free(w->db->host, w->bulks[i]->names);
        dbm__free(w->db->host, w->bulks[i]);
    }
}
