/* The calls of sessions, each begun in its asynchronous form and waited for by turns of a loop, behind the names of the synchronous ones: so a test that was
 * written for those runs through the asynchronous side. Comes after dbm_test.h, and before what is to be turned.
 * What there is no asynchronous form of (models, scripts, prepared statements, savepoints) runs as it is, on sessions that were begun asynchronously.
 * A block that is left early says dbm_async_rollback(): nothing else can leave a task's session so. */
#ifndef AWAITED_H
#define AWAITED_H

static dbm_loop *awaited_loop, *awaited_loops[4]; /* of the manager that was opened last; those of the ones before it */
static int awaited_opened;
typedef struct awaited { bool over; dbm_status status; dbm_error_info error; } awaited;
static struct { dbm_rows *rows; dbm_session session; } awaited_own[8]; /* rows of calls on a database */

TEST_HELPER void awaited_fn(void *ud, dbm_status status) {
    awaited *a = (awaited *)ud;
    if (a->over) fail_msg("told twice");
    a->over = true;
    a->status = status;
    a->error = *dbm_last_error();
}

/* Waits for what was begun. */
TEST_HELPER dbm_status awaited_wait(awaited *a, dbm_status begun) {
    if (begun != DBM_OK) return begun;
    if (a->over) fail_msg("told in the call that began it");
    while (!a->over) if (dbm_loop_step(awaited_loop, 30000) > DBM_DONE) fail_msg("%s", dbm_last_error()->message);
    if (a->status != DBM_OK) (void)dbm__fail_again(&a->error);
    return a->status;
}

TEST_HELPER void awaited_open(dbm_manager *mgr) {
    awaited_loops[awaited_opened++] = awaited_loop;
    if (dbm_loop_create(&awaited_loop, mgr, NULL) != DBM_OK) fail_msg("%s", dbm_last_error()->message);
}
TEST_HELPER void awaited_close(void) {
    dbm_loop_free(awaited_loop);
    awaited_loop = awaited_loops[--awaited_opened];
}

TEST_HELPER dbm_status awaited_begin(dbm_database *db, const dbm_session_options *options, dbm_session *s) {
    awaited a = { 0 };
    return awaited_wait(&a, dbm_async_session_cb(awaited_loop, db, options, s, awaited_fn, &a));
}
/* A bulk has a savepoint of its own. */
TEST_HELPER bool awaited_in_savepoint(const dbm__work *w) { return w != NULL && w->points > (w->bulk != NULL && w->bulk->own_point ? 1 : 0); }
TEST_HELPER dbm_status awaited_step(dbm_session *s, dbm__async_kind kind) {
    awaited a = { 0 };
    if (awaited_in_savepoint((dbm__work *)s->slot)) return kind == DBM__ASYNC_COMMIT ? dbm_commit(s) : dbm_rollback(s);
    return awaited_wait(&a, dbm__async_began(dbm__async_step(s, dbm__async_tell(kind, awaited_fn, &a), DBM__SITE)));
}

/* The session that a call on a database has of its own; and its end, unless rows keep it. */
TEST_HELPER dbm_status awaited_own_begin(const dbm_session *on, dbm_session *s) {
    dbm_session_options options;
    memset(&options, 0, sizeof options);
    options.autocommit = true;
    return awaited_begin((dbm_database *)on->slot, &options, s);
}
TEST_HELPER dbm_status awaited_own_over(dbm_session *s, dbm_status st, void *rows) {
    dbm_error_info error;
    if (st == DBM_OK && rows != NULL) {
        int i = 0;
        while (awaited_own[i].rows != NULL) i++;
        awaited_own[i].rows = (dbm_rows *)rows;
        awaited_own[i].session = *s;
        return st;
    }
    error = *dbm_last_error();
    (void)awaited_step(s, DBM__ASYNC_END);
    return st == DBM_OK ? st : dbm__fail_again(&error);
}

/* A statement on a session, or on a database, as a session of its own. */
TEST_HELPER dbm_status awaited_run(dbm_session *on, dbm__async_kind kind, void *out, const char *site, const char *sql, const dbm_value *values, int count, bool *own) {
    awaited a = { 0 };
    dbm_session s, *at = on;
    dbm_status st;
    *own = false;
    if (out != NULL) *(void **)out = NULL;
    if (on != NULL && on->step == DBM__ON_DATABASE) {
        st = awaited_own_begin(on, &s);
        if (st != DBM_OK) return st;
        at = &s;
    } else if (awaited_in_savepoint(dbm__work_of(on))) {
        if (kind == DBM__ASYNC_EXEC) return dbm__execv(on, site, sql, values, count);
        return kind == DBM__ASYNC_ONE ? dbm__query_onev(on, (dbm_row **)out, site, sql, values, count) : dbm__queryv(on, (dbm_rows **)out, site, sql, values, count);
    }
    st = awaited_wait(&a, dbm__async_began(dbm__async_statementv(at, dbm__async_how(kind, out, true, awaited_fn, &a), site, sql, values, count)));
    if (at != &s) return st;
    *own = true;
    return awaited_own_over(&s, st, out != NULL ? *(void **)out : NULL);
}
TEST_HELPER dbm_status awaited_statement(dbm_session *on, dbm__async_kind kind, void *out, const char *site, const char *sql, const char *codes, ...) {
    dbm_value values[DBM__MAX_VALUES];
    int count = 0;
    bool named, own;
    va_list ap;
    dbm_status st;
    va_start(ap, codes);
    st = dbm__values_read(values, &count, &named, codes, ap);
    va_end(ap);
    if (st != DBM_OK && on->step != DBM__ON_DATABASE) return dbm__work_fail(dbm__work_of(on), site);
    return st != DBM_OK ? st : awaited_run(on, kind, out, site, sql, values, count, &own);
}
TEST_HELPER bool awaited_is_own(void *rows, bool ends) {
    for (int i = 0; i < 8; i++) {
        if (awaited_own[i].rows != rows) continue;
        if (ends) {
            awaited_own[i].rows = NULL;
            (void)awaited_step(&awaited_own[i].session, DBM__ASYNC_END);
        }
        return true;
    }
    return false;
}
TEST_HELPER void awaited_row_end(dbm_row *row) {
    if (row != NULL && !awaited_is_own(row, true)) dbm_row_end(row);
}

/* DBM_EACH */
TEST_HELPER dbm__cursor awaited_each(dbm_session *on, const char *site, const char *sql, const char *codes, ...) {
    dbm_value values[DBM__MAX_VALUES];
    dbm_rows *rows = NULL;
    dbm__cursor cursor = { NULL, 0 };
    int count = 0;
    bool named, own;
    va_list ap;
    va_start(ap, codes);
    (void)dbm__values_read(values, &count, &named, codes, ap);
    va_end(ap);
    (void)awaited_run(on, DBM__ASYNC_QUERY, &rows, site, sql, values, count, &own);
    cursor.dbm__row = (dbm_row *)(void *)rows;
    return cursor;
}
TEST_HELPER bool awaited_row_step(dbm_row *row) {
    dbm_rows *rows = (dbm_rows *)(void *)row;
    awaited a = { 0 };
    dbm_row *next = NULL;
    if (awaited_in_savepoint(rows->row.work)) return dbm__row_step(row);
    if (dbm__async_row(NULL, rows, &next)) return next != NULL;
    return awaited_wait(&a, dbm_async_next_cb(rows, &next, awaited_fn, &a)) == DBM_OK && next != NULL;
}
TEST_HELPER void awaited_cursor_end(dbm__cursor *cursor) {
    awaited a = { 0 };
    dbm_rows *rows = (dbm_rows *)(void *)cursor->dbm__row;
    cursor->dbm__row = NULL;
    if (rows == NULL || awaited_is_own(rows, true)) return;
    if (rows->row.open) (void)awaited_wait(&a, dbm_async_rows_end_cb(rows, awaited_fn, &a));
}

/* Bulks; one on a database has a session of its own. */
static struct { dbm_bulk *bulk; dbm_session session; } awaited_bulks[4];
TEST_HELPER bool awaited_bulk_waits(const dbm_bulk *bulk) { return bulk == NULL || bulk->gen != bulk->work->gen || awaited_in_savepoint(bulk->work); } /* or its session is over */

TEST_HELPER dbm_status awaited_bulk_begin(dbm_session *on, dbm_bulk **out, const char *table, const char *columns, const dbm_bulk_options *options, const char *site) {
    awaited a = { 0 };
    dbm_session s, *at = on;
    dbm_status st;
    *out = NULL;
    if (on != NULL && on->step == DBM__ON_DATABASE) {
        st = awaited_own_begin(on, &s);
        if (st != DBM_OK) return st;
        at = &s;
    } else if (awaited_in_savepoint(dbm__work_of(on))) {
        return dbm__bulk_begin(on, out, table, columns, options, site);
    }
    st = awaited_wait(&a, dbm__async_began(dbm__async_bulk_begin(at, dbm__async_how(DBM__ASYNC_BULK_BEGIN, out, true, awaited_fn, &a), table, columns, options, site)));
    if (at != &s) return st;
    if (st == DBM_OK) {
        int i = 0;
        while (awaited_bulks[i].bulk != NULL) i++;
        awaited_bulks[i].bulk = *out;
        awaited_bulks[i].session = s;
        return st;
    }
    a.error = *dbm_last_error();
    (void)awaited_step(&s, DBM__ASYNC_END);
    return dbm__fail_again(&a.error);
}
TEST_HELPER dbm_status awaited_bulk_call(dbm_bulk *bulk, dbm__async_kind kind, const dbm_value *values, int count, const dbm_column *columns, size_t rows, const char *site) {
    awaited a = { 0 };
    dbm_status st = DBM_OK;
    dbm_act *act = dbm__async_bulk(bulk, dbm__async_how(kind, NULL, true, awaited_fn, &a), values, count, columns, rows, site);
    st = awaited_wait(&a, dbm__async_began(act));
    for (int i = 0; i < 4 && kind != DBM__ASYNC_BULK_ROWS; i++) {
        if (awaited_bulks[i].bulk != bulk) continue;
        a.error = *dbm_last_error();
        awaited_bulks[i].bulk = NULL;
        (void)awaited_step(&awaited_bulks[i].session, DBM__ASYNC_END);
        if (st != DBM_OK) (void)dbm__fail_again(&a.error);
    }
    return st;
}
TEST_HELPER dbm_status awaited_bulk_row(const char *site, dbm_bulk *bulk, const char *codes, ...) {
    dbm_value values[DBM__MAX_VALUES];
    int count = 0;
    bool named;
    va_list ap;
    va_start(ap, codes);
    if (dbm__values_read(values, &count, &named, codes, ap) != DBM_OK) fail_msg("%s", dbm_last_error()->message);
    va_end(ap);
    if (awaited_bulk_waits(bulk)) return dbm__bulk_rowv(site, bulk, values, count);
    return awaited_bulk_call(bulk, DBM__ASYNC_BULK_ROWS, values, count, NULL, 1, site);
}
TEST_HELPER dbm_status awaited_bulk_columns(dbm_bulk *bulk, const dbm_column *columns, int count, size_t rows) {
    if (awaited_bulk_waits(bulk)) return dbm_bulk_columns(bulk, columns, count, rows);
    return awaited_bulk_call(bulk, DBM__ASYNC_BULK_ROWS, NULL, count, columns, rows, DBM__SITE);
}
TEST_HELPER dbm_status awaited_bulk_end(dbm_bulk *bulk) {
    if (awaited_bulk_waits(bulk)) return dbm_bulk_end(bulk);
    return awaited_bulk_call(bulk, DBM__ASYNC_BULK_END, NULL, 0, NULL, 0, DBM__SITE);
}
TEST_HELPER dbm_status awaited_bulk_abandon(dbm_bulk *bulk) {
    if (awaited_bulk_waits(bulk)) return dbm_bulk_abandon(bulk);
    return awaited_bulk_call(bulk, DBM__ASYNC_BULK_ABANDON, NULL, 0, NULL, 0, DBM__SITE);
}

/* Blocks. */
TEST_HELPER dbm_session awaited_block_begin_on(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site) {
    dbm_session s;
    dbm_session_options o;
    memset(&o, 0, sizeof o);
    (void)site;
    if (options != NULL) o = *options;
    if (status != NULL) o.status = status;
    dbm__self()->has_failed = false;
    if (awaited_begin(db, &o, &s) != DBM_OK) {
        dbm__self()->failed = *dbm_last_error();
        dbm__self()->has_failed = true;
    }
    return s;
}
TEST_HELPER dbm_session awaited_block_begin(dbm_manager *mgr, const char *name, const dbm_session_options *options, dbm_status *status, const char *site) {
    return awaited_block_begin_on(dbm_get(mgr, name), options, status, site);
}
TEST_HELPER bool awaited_block_step(dbm_session *s) {
    if (!(s->step & DBM__STARTED)) {
        s->step |= DBM__STARTED;
        return true;
    }
    dbm__self()->has_failed = false;
    if (awaited_step(s, DBM__ASYNC_END) != DBM_OK) {
        dbm__self()->failed = *dbm_last_error();
        dbm__self()->has_failed = true;
    }
    return false;
}
TEST_HELPER void awaited_block_over(dbm_session *s) {
    if (s->slot == NULL) return;
    if (dbm_status_of(s) == DBM_OK && !((dbm__work *)s->slot)->no_transaction) {
        dbm_status *status = ((dbm__work *)s->slot)->base.status, was = status != NULL ? *status : DBM_OK;
        bool ran = ((dbm__work *)s->slot)->base.ran;
        (void)awaited_step(s, DBM__ASYNC_ROLLBACK);
        (void)awaited_block_step(s);
        if (!ran && status != NULL) *status = was;
    } else {
        (void)awaited_block_step(s);
    }
}
TEST_HELPER dbm_status awaited_session_end(dbm_session *s) {
    if (s->slot == NULL) return DBM_OK;
    if (dbm_status_of(s) == DBM_OK) (void)awaited_step(s, DBM__ASYNC_ROLLBACK);
    return awaited_step(s, DBM__ASYNC_END);
}

#if defined(TEST_AWAITED)
#define LEFT_EARLY DBM_ROLLED_BACK
#define LEFT_EARLY_ALONE DBM_OK /* in autocommit a rollback has nothing to undo but the bulk */
#undef dbm_exec
#undef dbm_query_one
#undef dbm_session_begin
#define dbm_exec(on, ...) awaited_statement(DBM__ON(on), DBM__ASYNC_EXEC, NULL, DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_query_one(on, row, ...) awaited_statement(DBM__ON(on), DBM__ASYNC_ONE, row, DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_row_end(row) awaited_row_end(row)
#undef dbm_bulk_begin
#undef dbm_bulk_begin_opt
#undef dbm_bulk_row
#define dbm_bulk_begin(on, out, table, columns) awaited_bulk_begin(DBM__ON(on), out, table, columns, NULL, DBM__SITE)
#define dbm_bulk_begin_opt(on, out, table, columns, ...) awaited_bulk_begin(DBM__ON(on), out, table, columns, DBM__OPTIONS(dbm_bulk_options, __VA_ARGS__), DBM__SITE)
#define dbm_bulk_row(...) awaited_bulk_row(DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_bulk_columns awaited_bulk_columns
#define dbm_bulk_end awaited_bulk_end
#define dbm_bulk_abandon awaited_bulk_abandon
#define dbm_commit(s) awaited_step(s, DBM__ASYNC_COMMIT)
#define dbm_rollback(s) awaited_step(s, DBM__ASYNC_ROLLBACK)
#define dbm_session_begin(db, options, s) awaited_begin(db, options, s)
#define dbm_session_end(s) awaited_session_end(s)
#define dbm__each awaited_each
#define dbm__row_step awaited_row_step
#define dbm__cursor_end awaited_cursor_end
#define dbm__block_begin awaited_block_begin
#define dbm__block_begin_on awaited_block_begin_on
#define dbm__block_step awaited_block_step
#define dbm__block_over awaited_block_over
#endif
#endif /* AWAITED_H */
