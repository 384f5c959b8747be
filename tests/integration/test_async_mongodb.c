/* The cases of test_mongodb.c for values, errors and sessions through the asynchronous side: sessions are begun and ended by a loop, and MongoDB's calls, of which
 * there is no other form, are awaited as dbm_async_run(), on a worker; so are the documents that follow, one by one. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#define TEST_AWAITED
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "integration/awaited.h"
#include <mongoc/mongoc.h>

#if defined(__SANITIZE_THREAD__)
/* MongoDB's driver is not built for it: what its threads order by atomics of their own looks like races. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:libbson-1.0\nrace:libmongoc-1.0\n"; }
#endif

enum { WANTS_NOTHING, WANTS_ROWS, WANTS_ROW, WANTS_COUNT, GIVES_MANY };
typedef struct mongo_call {
    int want, call;
    void *out;
    const char *site, *coll, *filter, *json;
    dbm_value values[DBM__MAX_VALUES];
    int count;
    const char *const *texts;
    const bson_t *const *documents;
    size_t n;
} mongo_call;

static dbm_status mongo_call_run(dbm_session *s, void *ud) {
    mongo_call *c = (mongo_call *)ud;
    switch (c->want) {
    case WANTS_ROWS: return dbm__mongo_rowsv(s, (dbm_rows **)c->out, c->site, c->call, c->coll, c->json, c->values, c->count);
    case WANTS_ROW: return dbm__mongo_rowv(s, (dbm_row **)c->out, c->site, c->call, c->coll, c->json, c->values, c->count);
    case WANTS_COUNT: return dbm__mongo_countv(s, (int64_t *)c->out, c->site, c->coll, c->json, c->values, c->count);
    case GIVES_MANY: return dbm__mongo_many(s, c->site, c->coll, c->texts, c->documents, c->n);
    default: return dbm__mongov(s, c->site, c->call, c->coll, c->filter, c->json, c->values, c->count);
    }
}
static dbm_status mongo_call_on(dbm_session *on, mongo_call *c) {
    awaited a = { 0 };
    dbm_session s;
    dbm_status st;
    if (on->slot == NULL || (on->step != DBM__ON_DATABASE && dbm__work_of(on) == NULL)) return mongo_call_run(on, c); /* nobody to ask */
    if (on->step != DBM__ON_DATABASE) return awaited_wait(&a, dbm_async_run_cb(on, mongo_call_run, c, awaited_fn, &a));
    st = awaited_own_begin(on, &s);
    if (st != DBM_OK) return st;
    st = awaited_wait(&a, dbm_async_run_cb(&s, mongo_call_run, c, awaited_fn, &a));
    return awaited_own_over(&s, st, c->want == WANTS_ROWS || c->want == WANTS_ROW ? *(void **)c->out : NULL);
}
static dbm_status mongo_call_of(dbm_session *on, const char *site, int want, void *out, int call, const char *coll, const char *filter, const char *json, const char *codes, va_list *ap) {
    mongo_call c;
    dbm_status st;
    bool named;
    char text[400];
    memset(&c, 0, sizeof c);
    c.want = want;
    c.call = call;
    c.out = out;
    c.site = site;
    c.coll = coll;
    c.filter = filter;
    c.json = json;
    st = dbm__values_read(c.values, &c.count, &named, codes, *ap);
    if (st == DBM_OK) return mongo_call_on(on, &c);
    (void)snprintf(text, sizeof text, "%.390s", dbm_last_error()->message);
    return dbm__on_fail(on, st, site, "%s", text);
}
#define MONGO_CALL(want, out, call, filter) do { \
        va_list ap; \
        va_start(ap, codes); \
        st = mongo_call_of(on, site, want, out, call, coll, filter, json, codes, &ap); \
        va_end(ap); \
    } while (0)
static dbm_status mongo_plain(dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json, const char *codes, ...) {
    dbm_status st;
    MONGO_CALL(WANTS_NOTHING, NULL, call, filter);
    return st;
}
static dbm_status mongo_rows(dbm_session *on, dbm_rows **rows, const char *site, int call, const char *coll, const char *json, const char *codes, ...) {
    dbm_status st;
    MONGO_CALL(WANTS_ROWS, rows, call, NULL);
    return st;
}
static dbm_status mongo_row(dbm_session *on, dbm_row **row, const char *site, int call, const char *coll, const char *json, const char *codes, ...) {
    dbm_status st;
    MONGO_CALL(WANTS_ROW, row, call, NULL);
    return st;
}
static dbm_status mongo_count(dbm_session *on, int64_t *n, const char *site, const char *coll, const char *json, const char *codes, ...) {
    dbm_status st;
    MONGO_CALL(WANTS_COUNT, n, DBM__MONGO_COUNT, NULL);
    return st;
}
static dbm__cursor mongo_each(dbm_session *on, const char *site, const char *coll, const char *json, const char *codes, ...) {
    dbm__cursor cursor = { NULL, 0 };
    dbm_rows *rows = NULL;
    dbm_status st;
    MONGO_CALL(WANTS_ROWS, &rows, DBM__MONGO_FIND, NULL);
    (void)st;
    cursor.dbm__row = (dbm_row *)(void *)rows;
    return cursor;
}
static dbm_status mongo_many(dbm_session *on, const char *site, const char *coll, const char *const *texts, const bson_t *const *documents, size_t n) {
    mongo_call c;
    memset(&c, 0, sizeof c);
    c.want = GIVES_MANY;
    c.site = site;
    c.coll = coll;
    c.texts = texts;
    c.documents = documents;
    c.n = n;
    return mongo_call_on(on, &c);
}
static dbm_status mongo_drop(dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json, const dbm_value *values, int count) {
    mongo_call c;
    (void)values;
    (void)count;
    memset(&c, 0, sizeof c);
    c.call = call;
    c.site = site;
    c.coll = coll;
    c.filter = filter;
    c.json = json;
    return mongo_call_on(on, &c);
}
static dbm_status mongo_rows_next(dbm_rows *rows, dbm_row **row) {
    awaited a = { 0 };
    dbm_status st = DBM_OK;
    if (!dbm__async_row(NULL, rows, row)) st = awaited_wait(&a, dbm_async_next_cb(rows, row, awaited_fn, &a));
    return st == DBM_OK && *row == NULL ? DBM_DONE : st;
}
static void mongo_rows_end(dbm_rows *rows) {
    dbm__cursor cursor = { (dbm_row *)(void *)rows, 0 };
    awaited_cursor_end(&cursor);
}

#define dbm__mongo mongo_plain
#define dbm__mongov mongo_drop
#define dbm__mongo_rows mongo_rows
#define dbm__mongo_row mongo_row
#define dbm__mongo_count mongo_count
#define dbm__mongo_each mongo_each
#define dbm__mongo_many mongo_many
#define dbm_rows_next mongo_rows_next
#define dbm_rows_end mongo_rows_end
#include "integration/test_mongodb.c"
