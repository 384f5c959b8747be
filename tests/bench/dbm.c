/* dbm.h, used as its manual says: the same code for every SQL backend, with all that a session promises. */
#define DBM_IMPLEMENTATION
#include "dbm.h"
#define BENCH_CONTENDER "dbm"
#include "bench.h"
#if DBM_HAS_MONGODB
#include <mongoc/mongoc.h>
#endif

static dbm_manager *mgr;
static dbm_database *db, *standalone; /* the second one's sessions are autocommit */

static void fail(const char *what) { bench_die(what, dbm_last_error()->message); }
static void add(const char *name, dbm_isolation isolation, int size) {
    if (dbm_add_database(mgr, DBM_CONFIG(.name = name, .url = bench_url(), .isolation = isolation, .pool.size = size, .pool.max_overflow = -1)) != DBM_OK) fail("add");
}
static void start(int size) {
    if (dbm_manager_create(&mgr, NULL) != DBM_OK) fail("create");
    add("default", DBM_ISOLATION_DEFAULT, size);
    if (dbm_init_all(mgr) != DBM_OK) fail("init");
    db = dbm_get(mgr, "default");
}
static void end(void) { dbm_manager_free(mgr); }
static void open_it(void) { start(4); }
static void open_both(void) {
    if (dbm_manager_create(&mgr, NULL) != DBM_OK) fail("create");
    add("default", DBM_ISOLATION_DEFAULT, 4);
    add("standalone", DBM_AUTOCOMMIT, 4);
    if (dbm_init_all(mgr) != DBM_OK) fail("init");
    db = dbm_get(mgr, "default");
    standalone = dbm_get(mgr, "standalone");
}

/* ---- SQL ------------------------------------------------------------------------------------------------------------------------- */

static inline void lookup_text(dbm_session *s, int64_t id) {
    dbm_row *row;
    if (dbm_query_one(s, &row, BENCH_LOOKUP("?"), id) != DBM_OK) fail("lookup");
    bench_user(dbm_row_text(row, 0), dbm_row_int(row, 1));
}
static inline void lookup_prepared(dbm_statement *st, int64_t id) {
    dbm_row *row;
    if (dbm_stmt_query_one(st, &row, id) != DBM_OK) fail("lookup");
    bench_user(dbm_row_text(row, 0), dbm_row_int(row, 1));
}

static void lookup(long n) {
    DBM_SESSION_ON(db, s) for (long i = 0; i < n; i++) lookup_text(s, bench_id(i));
}
static void lookup_by_handle(long n) {
    DBM_SESSION_ON(db, s) {
        dbm_statement *st;
        if (dbm_prepare(s, BENCH_LOOKUP("?"), &st) != DBM_OK) fail("prepare");
        for (long i = 0; i < n; i++) lookup_prepared(st, bench_id(i));
    }
}
static void session(long n) {
    for (long i = 0; i < n; i++) DBM_SESSION_ON(standalone, s) lookup_text(s, bench_id(i));
}
static void session_by_handle(long n) {
    for (long i = 0; i < n; i++) DBM_SESSION_ON(standalone, s) {
        dbm_statement *st;
        if (dbm_prepare(s, BENCH_LOOKUP("?"), &st) != DBM_OK) fail("prepare");
        lookup_prepared(st, bench_id(i));
    }
}
static void transaction(long n) {
    for (long i = 0; i < n; i++) DBM_SESSION_ON(db, s) lookup_text(s, bench_id(i));
}
static void transaction_read_only(long n) {
    static const dbm_session_options read_only = { .read_only = true };
    for (long i = 0; i < n; i++) DBM_SESSION_WITH(mgr, "default", s, &read_only) lookup_text(s, bench_id(i));
}
static void scan(long n) {
    DBM_SESSION_ON(db, s) DBM_EACH(s, row, BENCH_SCAN("?"), (int64_t)n) {
        bench_big(dbm_row_int(row, 0), dbm_row_text(row, 1), dbm_row_int(row, 2), dbm_row_double(row, 3));
    }
}
static void scan_targets(long n) {
    DBM_SESSION_ON(db, s) DBM_EACH(s, row, BENCH_SCAN("?"), (int64_t)n) {
        int64_t id, age;
        const char *name;
        double score;
        if (dbm_scan(row, &id, &name, &age, &score) != DBM_OK) fail("scan");
        bench_big(id, name, age, score);
    }
}
static void clear(void) {
    if (dbm_exec(db, BENCH_CLEAR) != DBM_OK) fail("clear");
}
static void notes(void) {
    dbm_row *row;
    if (dbm_query_one(db, &row, BENCH_NOTES) != DBM_OK) fail("notes");
    bench_sum = (uint64_t)dbm_row_double(row, 0);
    dbm_row_end(row);
}
static void insert(long n) {
    dbm_status rc = DBM_OK;
    DBM_SESSION_RC(mgr, "default", s, &rc) {
        for (long id = 1; id <= n; id++) dbm_exec(s, BENCH_INSERT("?", "?", "?"), (int64_t)id, bench_name(id), bench_score(id));
    }
    if (rc != DBM_OK) fail("insert");
}
static void insert_by_handle(long n) {
    dbm_status rc = DBM_OK;
    DBM_SESSION_RC(mgr, "default", s, &rc) {
        dbm_statement *st;
        if (dbm_prepare(s, BENCH_INSERT("?", "?", "?"), &st) != DBM_OK) fail("prepare");
        for (long id = 1; id <= n; id++) dbm_stmt_exec(st, (int64_t)id, bench_name(id), bench_score(id));
    }
    if (rc != DBM_OK) fail("insert");
}
/* Without waiting for each: a pipeline where the backend has one. */
static void insert_send(long n) {
    dbm_status rc = DBM_OK;
    DBM_SESSION_RC(mgr, "default", s, &rc) {
        for (long id = 1; id <= n; id++) dbm_send(s, BENCH_INSERT("?", "?", "?"), (int64_t)id, bench_name(id), bench_score(id));
    }
    if (rc != DBM_OK) fail("send");
}

static void bulk_into(const char *columns, long n) {
    dbm_bulk *b;
    dbm_status st = dbm_bulk_begin(db, &b, "notes", columns);
    for (long id = 1; st == DBM_OK && id <= n; id++) st = dbm_bulk_row(b, (int64_t)id, bench_name(id), bench_score(id));
    if (st != DBM_OK || dbm_bulk_end(b) != DBM_OK) fail("bulk");
}
static void insert_bulk(long n) { bulk_into("id,name,score", n); }
/* Arrays of 512 rows; filling them is part of it. */
static void insert_columns(long n) {
    enum { ROWS = 512 };
    static int64_t ids[ROWS];
    static const char *names[ROWS];
    static double scores[ROWS];
    const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(names), DBM_COLUMN(scores) };
    dbm_bulk *b;
    dbm_status st = dbm_bulk_begin(db, &b, "notes", "id,name,score");
    for (long id = 1; st == DBM_OK && id <= n;) {
        size_t rows = 0;
        for (; rows < ROWS && id <= n; rows++, id++) {
            ids[rows] = id;
            names[rows] = bench_name(id);
            scores[rows] = bench_score(id);
        }
        st = dbm_bulk_columns(b, columns, 3, rows);
    }
    if (st != DBM_OK || dbm_bulk_end(b) != DBM_OK) fail("columns");
}

/* ---- Redis and MongoDB ---------------------------------------------------------------------------------------------------------- */

static void redis_get(long n) {
    DBM_SESSION_ON(db, s) for (long i = 0; i < n; i++) {
        const char *key;
        dbm_row *row = NULL;
        bench_key(bench_id(i), &key);
        if (dbm_redis_get(s, &row, key) != DBM_OK) fail("GET");
        bench_user(dbm_row_text(row, 0), 0);
    }
}
static void redis_pipeline_by(long n, bool format) {
    DBM_SESSION_ON(db, s) for (long i = 0; i < n;) {
        dbm_status st = DBM_OK;
        long sent = 0;
        for (; sent < 100 && i < n; sent++, i++) {
            const char *key;
            size_t size = bench_key(bench_id(i), &key);
            const dbm_value words[] = { dbm_textn("GET", 3), dbm_textn(key, size) };
            st = format ? dbm_redis_send(s, "GET %s", key) : dbm_redis_sendv(s, words, 2);
            if (st != DBM_OK) fail("send");
        }
        for (; sent > 0; sent--) {
            dbm_row *row = NULL;
            if (dbm_redis_receive(s, &row) != DBM_OK || row == NULL) fail("receive");
            bench_user(dbm_row_text(row, 0), 0);
        }
    }
}
static void redis_pipeline(long n) { redis_pipeline_by(n, false); }
static void redis_pipeline_format(long n) { redis_pipeline_by(n, true); }
#if DBM_HAS_MONGODB
static void mongo_find(long n) {
    DBM_SESSION_ON(db, s) for (long i = 0; i < n; i++) {
        dbm_row *doc;
        if (dbm_mongo_find_one(s, &doc, "users", "{\"_id\": ?}", (int64_t)bench_id(i)) != DBM_OK) fail("find");
        bench_user(dbm_doc_text(doc, "name"), dbm_doc_int(doc, "age"));
    }
}
/* The filter built as one builds it for the driver, instead of JSON. */
static void mongo_find_bson(long n) {
    DBM_SESSION_ON(db, s) for (long i = 0; i < n; i++) {
        bson_t filter = BSON_INITIALIZER;
        dbm_row *doc;
        BSON_APPEND_INT64(&filter, "_id", bench_id(i));
        if (dbm_mongo_find_one(s, &doc, "users", "?", dbm_bson(&filter)) != DBM_OK) fail("find");
        bench_user(dbm_doc_text(doc, "name"), dbm_doc_int(doc, "age"));
        bson_destroy(&filter);
    }
}
static void mongo_clear(void) {
    if (dbm_mongo_delete_many(db, "notes", "{}") != DBM_OK) fail("delete");
}
static void mongo_insert(long n) {
    enum { DOCUMENTS = 1000 };
    static bson_t documents[DOCUMENTS];
    const bson_t *list[DOCUMENTS];
    DBM_SESSION_ON(db, s) for (long id = 1; id <= n;) {
        size_t count = 0;
        for (; count < DOCUMENTS && id <= n; count++, id++) {
            list[count] = &documents[count];
            bson_init(&documents[count]);
            BSON_APPEND_INT64(&documents[count], "_id", id);
            BSON_APPEND_UTF8(&documents[count], "name", bench_name(id));
            BSON_APPEND_DOUBLE(&documents[count], "score", bench_score(id));
        }
        if (dbm_mongo_insert_many_bson(s, "notes", list, count) != DBM_OK) fail("insert_many");
        while (count > 0) bson_destroy(&documents[--count]);
    }
}
static void mongo_insert_bulk(long n) { bulk_into("_id,name,score", n); }
static void mongo_notes(void) {
    bench_sum = 0;
    DBM_SESSION_ON(db, s) DBM_EACH_DOC(s, doc, "notes", "{}") bench_big(dbm_doc_int(doc, "_id"), dbm_doc_text(doc, "name"), 0, dbm_doc_double(doc, "score"));
}
#endif

/* ---- pool, sessions, start-up ------------------------------------------------------------------------------------------------------ */

static long checkouts(long n) {
    for (long i = 0; i < n; i++) {
        dbm__slot *slot = NULL;
        if (dbm__pool_take(db, INT64_MAX, 1, "here", &slot) != DBM_OK) fail("checkout");
        dbm__pool_give(slot);
    }
    return n;
}
/* Who takes a slot names itself: what waits for whom is told by that. */
static long checkouts_shared(long n) {
    dbm__word me = (dbm__word)dbm__self();
    for (long i = 0; i < n; i++) {
        dbm__slot *slot = NULL;
        if (dbm__pool_take(db, INT64_MAX, me, "here", &slot) != DBM_OK) fail("checkout");
        dbm__pool_give(slot);
    }
    return n;
}
BENCH_CHECKOUTS(checkouts, checkouts_shared)

static void empty(long n) {
    for (long i = 0; i < n; i++) DBM_SESSION_ON(db, s) bench_sum++;
}
static void empty_by_name(long n) {
    for (long i = 0; i < n; i++) DBM_SESSION(mgr, "default", s) bench_sum++;
}

static void starts(long n) {
    for (long i = 0; i < n; i++) {
        start(4);
        DBM_SESSION_ON(db, s) lookup_text(s, bench_id(i));
        end();
    }
}
static void idle(long n) {
    dbm_session sessions[10];
    uint64_t sum = bench_sum;
    start((int)n);
    for (long i = 0; i < n; i++) {
        if (dbm_session_begin(db, NULL, &sessions[i]) != DBM_OK) fail("begin");
        lookup_text(&sessions[i], bench_id(i));
    }
    for (long i = 0; i < n; i++) dbm_session_end(&sessions[i]);
    bench_sum = sum + (uint64_t)n;
}

#if DBM_HAS_ASYNC
#include "dbm_async.h"
#endif

/* ---- what there is ----------------------------------------------------------------------------------------------------------------- */

#define SQL(name) \
    { name "_lookup", "", open_it, NULL, lookup, NULL, end }, \
    { name "_lookup", "prepared", open_it, NULL, lookup_by_handle, NULL, end }, \
    { name "_session", "", open_both, NULL, session, NULL, end }, \
    { name "_session", "prepared", open_both, NULL, session_by_handle, NULL, end }, \
    { name "_scan", "", open_it, NULL, scan, NULL, end }, \
    { name "_scan", "targets", open_it, NULL, scan_targets, NULL, end }, \
    { name "_insert", "", open_it, clear, insert, notes, end }, \
    { name "_insert", "prepared", open_it, clear, insert_by_handle, notes, end }, \
    { name "_insert", "bulk", open_it, clear, insert_bulk, notes, end }, \
    { name "_insert", "columns", open_it, clear, insert_columns, notes, end }

static const bench_entry entries[] = {
    SQL("sqlite"),
    { "sqlite_transaction", "", open_it, NULL, transaction, NULL, end },
    { "sqlite_nostats", "", open_it, NULL, lookup, NULL, end },
    { "sqlite_nostats", "prepared", open_it, NULL, lookup_by_handle, NULL, end },
    SQL("postgresql"),
    { "postgresql_insert", "send", open_it, clear, insert_send, notes, end },
    { "postgresql_transaction", "", open_it, NULL, transaction, NULL, end },
    { "postgresql_transaction", "readonly", open_it, NULL, transaction_read_only, NULL, end },
    SQL("mariadb"),
    { "redis_get", "", open_it, NULL, redis_get, NULL, end },
    { "redis_pipeline", "", open_it, NULL, redis_pipeline, NULL, end },
    { "redis_pipeline", "format", open_it, NULL, redis_pipeline_format, NULL, end },
#if DBM_HAS_MONGODB
    { "mongodb_find", "", open_it, NULL, mongo_find, NULL, end },
    { "mongodb_find", "bson", open_it, NULL, mongo_find_bson, NULL, end },
    { "mongodb_insert", "", open_it, mongo_clear, mongo_insert, mongo_notes, end },
    { "mongodb_insert", "bulk", open_it, mongo_clear, mongo_insert_bulk, mongo_notes, end },
#endif
#if DBM_HAS_ASYNC
    { "async_postgresql", "", open_flight, NULL, flight, NULL, end_flight },
    { "async_postgresql", "sessions", open_flight, NULL, flight_sessions, NULL, end_flight },
    { "async_postgresql", "shared", open_flight, NULL, flight_shared, NULL, end_flight },
    { "async_mariadb", "", open_flight, NULL, flight, NULL, end_flight },
    { "async_mariadb", "sessions", open_flight, NULL, flight_sessions, NULL, end_flight },
    { "async_redis", "", open_flight, NULL, flight_gets, NULL, end_flight },
    { "async_redis", "sessions", open_flight, NULL, flight_gets_in_sessions, NULL, end_flight },
#endif
    BENCH_POOL(open_it, end),
    { "session_empty", "", open_it, NULL, empty, NULL, end },
    { "session_empty", "byname", open_it, NULL, empty_by_name, NULL, end },
    { "start_sqlite", "", NULL, NULL, starts, NULL, NULL },
    { "start_idle", "", NULL, NULL, idle, NULL, NULL },
};

BENCH_MAIN(entries)
