/* MongoDB: the adapter and its calls, against a real server: documents, types, placeholders, cursors, transactions, faults, configuration. Where a
 * server has to stand alone, which the one of the tests does not, a small one in this file speaks enough of the protocol. */
#include "dbm_test.h"
#include "servers/test_servers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <mongoc/mongoc.h>
#if defined(TEST_AWAITED) /* test_async_mongodb.c; each row is a call of its own there, so they are fewer */
#  define FEWER 10
#else
#  define LEFT_EARLY DBM_E_LEFT_EARLY
#  define FEWER 1
#endif

static servers_database fresh;
static dbm_manager *mgr;
static dbm_database *db;
static char heartbeat_url[700];
static char app_name[40]; /* fail points are for this program alone: others use the server at the same time */

static double now_s(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_us(long us) {
    struct timespec t = { us / 1000000, us % 1000000 * 1000 };
    (void)nanosleep(&t, NULL);
}

static void ok_at(int line, dbm_status st) {
    if (st != DBM_OK) fail_msg("line %d: %s: %s", line, dbm_status_name(st), dbm_last_error()->message);
}
#define OK(call) ok_at(__LINE__, call)
static void is_at(int line, dbm_status st, dbm_status want) {
    if (st != want) fail_msg("line %d: %s, not %s: %s", line, dbm_status_name(st), dbm_status_name(want), dbm_last_error()->message);
}
#define IS(call, want) is_at(__LINE__, call, want)
static void said_at(int line, const char *part) {
    if (strstr(dbm_last_error()->message, part) == NULL) fail_msg("line %d: no %s in: %s", line, part, dbm_last_error()->message);
}
#define SAID(part) said_at(__LINE__, part)

static void test_silence(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    (void)ud; (void)level; (void)event_id; (void)database; (void)text;
}

static int64_t count_of(const char *coll) {
    int64_t n = -1;
    OK(dbm_mongo_count(db, &n, coll, "{}"));
    return n;
}

/* The URL with more parameters. */
static const char *url_with(const char *url, const char *more, char *out, size_t size) {
    int n = snprintf(out, size, "%s%s%s", url, strchr(url, '?') != NULL ? "&" : "?", more);
    if (n < 0 || (size_t)n >= size) fail_msg("the URL is too long");
    return out;
}

static dbm_manager *manager_of(const dbm_config *config) {
    dbm_manager *m = NULL;
    OK(dbm_manager_create(&m, NULL));
    OK(dbm_add_database(m, config));
#if defined(TEST_AWAITED)
    awaited_open(m);
#endif
    return m;
}
static void manager_end(dbm_manager *m) {
#if defined(TEST_AWAITED)
    awaited_close();
#endif
    dbm_manager_free(m);
}

static int set_up(void **state) {
    char more[100];
    (void)state;
    servers_fresh(&fresh, "mongodb");
    snprintf(app_name, sizeof app_name, "test_mongodb_%d", (int)getpid());
    snprintf(more, sizeof more, "heartbeatFrequencyMS=500&appName=%s", app_name);
    url_with(fresh.url, more, heartbeat_url, sizeof heartbeat_url);
    mgr = manager_of(DBM_CONFIG(.url = heartbeat_url, .pool.size = 4));
    OK(dbm_add_database(mgr, DBM_CONFIG(.name = "admin", .url = heartbeat_url, .options = (const dbm_option[]){ { "database", "admin" } }, .option_count = 1)));
    OK(dbm_init_all(mgr));
    db = dbm_get(mgr, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    OK(dbm_close_all(mgr));
    manager_end(mgr);
    servers_drop(&fresh);
    return 0;
}

/* ---- the calls ------------------------------------------------------------------------------------------------------------------ */

static void every_call_does_its_work(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_row *row = NULL;
        dbm_rows *rows = NULL;
        int64_t n = 0;
        char id[40] = "";
        int seen = 0;
        static const char *const texts[] = { "{\"name\": \"Cid\", \"age\": 50}", "{\"name\": \"Dan\", \"age\": 60, \"_id\": 7}" };
        OK(dbm_mongo_insert_row(s, &row, "users", "{\"name\": ?, \"age\": ?}", "Ada", 36));
        assert_int_equal(dbm_row_columns(row), 1);
        assert_string_equal(dbm_row_name(row, 0), "_id");
        snprintf(id, sizeof id, "%s", dbm_row_text(row, 0));
        assert_int_equal(strlen(id), 24);
        assert_int_equal(dbm_affected(s), 1);
        OK(dbm_mongo_insert(s, "users", "{\"name\": \"Bob\", \"age\": 20}"));
        OK(dbm_mongo_insert_many(s, "users", texts, 2));
        assert_int_equal(dbm_affected(s), 2);
        OK(dbm_mongo_insert_many(s, "users", texts, 0));

        OK(dbm_mongo_find_one(s, &row, "users", "{\"_id\": ?}", dbm_oid(id)));
        assert_string_equal(dbm_doc_text(row, "name"), "Ada");
        assert_int_equal(dbm_doc_int(row, "age"), 36);
        assert_true(dbm_doc_has(row, "name"));
        assert_false(dbm_doc_has(row, "Name"));
        assert_int_equal(dbm_doc_value(row, "none").type, DBM_TYPE_NULL);
        IS(dbm_mongo_find_one(s, &row, "users", "{\"_id\": ?}", "nobody"), DBM_E_NOT_FOUND);
        assert_null(row);

        OK(dbm_mongo_find(s, &rows, "users", "{\"age\": {\"$gte\": ?}}", 36, dbm_mongo_options("{\"sort\": {\"age\": -1}, \"limit\": ?}"), 2));
        while (dbm_rows_next(rows, &row) == DBM_OK) assert_string_equal(dbm_doc_text(row, "name"), seen++ == 0 ? "Dan" : "Cid");
        assert_int_equal(seen, 2);
        dbm_rows_end(rows);

        OK(dbm_mongo_update(s, "users", "{\"age\": {\"$gte\": ?}}", "{\"$set\": {\"old\": ?}}", 36, dbm_bool(true)));
        assert_int_equal(dbm_affected(s), 1);
        OK(dbm_mongo_update_many(s, "users", "{\"age\": {\"$gte\": ?}}", "{\"$inc\": {\"age\": ?}}", 36, 1));
        assert_int_equal(dbm_affected(s), 3);
        OK(dbm_mongo_update(s, "users", "{\"name\": \"Eve\"}", "{\"$set\": {\"age\": 1}}", dbm_mongo_options("{\"upsert\": true}")));
        assert_int_equal(dbm_affected(s), 1);
        OK(dbm_mongo_update(s, "users", "{\"name\": \"none\"}", "{\"$set\": {\"age\": 1}}"));
        assert_int_equal(dbm_affected(s), 0);
        OK(dbm_mongo_replace(s, "users", "{\"name\": ?}", "{\"name\": ?, \"new\": true}", "Eve", "Eva"));
        assert_int_equal(dbm_affected(s), 1);
        OK(dbm_mongo_find_one(s, &row, "users", "{\"name\": \"Eva\"}"));
        assert_false(dbm_doc_has(row, "age"));
        assert_true(dbm_doc_bool(row, "new"));
        OK(dbm_mongo_delete(s, "users", "{\"name\": {\"$in\": [?, ?]}}", "Eva", "Bob"));
        assert_int_equal(dbm_affected(s), 1);
        OK(dbm_mongo_count(s, &n, "users", "{}"));
        assert_int_equal(n, 4);
        OK(dbm_mongo_count(s, &n, "users", "{\"age\": {\"$gt\": ?}}", 40));
        assert_int_equal(n, 2);

        OK(dbm_mongo_aggregate(s, &rows, "users", "[{\"$match\": {\"age\": {\"$gt\": ?}}}, {\"$group\": {\"_id\": null, \"total\": {\"$sum\": \"$age\"}}}]", 36));
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_doc_int(row, "total"), 37 + 51 + 61);
        IS(dbm_rows_next(rows, &row), DBM_DONE);
        seen = 0;
        DBM_EACH_DOC(s, doc, "users", "[{\"$sort\": {\"age\": 1}}]") seen += dbm_doc_has(doc, "name");
        assert_int_equal(seen, 4);

        OK(dbm_mongo_create_index(s, "users", "{\"name\": 1, \"age\": -1}", dbm_mongo_options("{\"unique\": true}")));
        OK(dbm_mongo_create_index(s, "users", "{\"age\": 1}", dbm_mongo_options("{\"name\": \"by_age\"}")));
        seen = 0;
        OK(dbm_mongo_command(s, &rows, "{\"listIndexes\": ?}", "users"));
        while (dbm_rows_next(rows, &row) == DBM_OK) {
            const char *name = dbm_doc_text(row, "name");
            seen += strcmp(name, "by_age") == 0 || strcmp(name, "name_1_age_-1") == 0 || strcmp(name, "_id_") == 0;
        }
        assert_int_equal(seen, 3);
        OK(dbm_mongo_command(s, &rows, "{\"ping\": 1}"));
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_doc_int(row, "ok"), 1);
        OK(dbm_mongo_run(s, "{\"create\": \"made\"}"));

        OK(dbm_mongo_delete_many(s, "users", "{}"));
        assert_int_equal(dbm_affected(s), 4);
        OK(dbm_mongo_drop(s, "users"));
        OK(dbm_mongo_drop(s, "users"));
    }
    assert_int_equal(rc, DBM_OK);
    /* on a database, each by itself */
    {
        dbm_row *row = NULL;
        OK(dbm_mongo_insert(db, "single", "{\"_id\": 1, \"a\": [1, {\"b\": ?}]}", "x"));
        OK(dbm_mongo_find_one(db, &row, "single", "{}"));
        assert_string_equal(dbm_row_text(row, 1), "[ 1, { \"b\" : \"x\" } ]");
        assert_string_equal(dbm_doc_json(row), "{ \"_id\" : 1, \"a\" : [ 1, { \"b\" : \"x\" } ] }");
        dbm_row_end(row);
        IS(dbm_mongo_find_one(db, &row, "single", "{\"_id\": 2}"), DBM_E_NOT_FOUND);
        assert_int_equal(count_of("single"), 1);
    }
}

static void bson_goes_in_and_comes_out(void **state) {
    bson_t *doc = BCON_NEW("_id", BCON_INT32(1), "inner", "{", "a", BCON_UTF8("?"), "}");
    bson_t *filter = BCON_NEW("_id", BCON_INT32(1));
    bson_t *pipeline = BCON_NEW("0", "{", "$match", "{", "_id", BCON_INT32(1), "}", "}");
    const bson_t *const many[] = { filter, doc };
    const bson_t *back;
    dbm_row *row = NULL;
    int seen = 0;
    (void)state;
    OK(dbm_mongo_insert(db, "bson", "?", dbm_bson(doc)));
    OK(dbm_mongo_find_one(db, &row, "bson", "?", dbm_bson(filter)));
    back = dbm_doc_bson(row);
    assert_true(back != NULL && bson_equal(back, doc));
    dbm_row_end(row);
    DBM_SESSION_ON(db, s) { /* the second time while the first one's row is in hand */
        OK(dbm_mongo_find_one(s, &row, "bson", "?", dbm_bson(filter)));
        OK(dbm_mongo_find_one(s, &row, "bson", "?", dbm_bson(filter)));
        assert_int_equal(dbm_doc_int(row, "_id"), 1);
    }
    OK(dbm_mongo_find_one(db, &row, "bson", "{\"inner\": ?}", dbm_json("{\"a\": \"?\"}")));
    dbm_row_end(row);
    DBM_EACH_DOC(db, d, "bson", "[{\"$match\": {\"_id\": {\"$in\": ?}}}]", dbm_json("[1, 2]")) seen++;
    {
        dbm_rows *rows = NULL;
        OK(dbm_mongo_aggregate(db, &rows, "bson", "?", dbm_bson(pipeline)));
        while (dbm_rows_next(rows, &row) == DBM_OK) seen++;
        dbm_rows_end(rows);
    }
    assert_int_equal(seen, 2);
    IS(dbm_mongo_insert_many_bson(db, "bson", many, 2), DBM_E_CONSTRAINT);
    OK(dbm_mongo_insert(db, "bson", "?", dbm_blob(bson_get_data(filter), 0)) == DBM_OK ? DBM_E_SQL : DBM_OK); /* no bytes at all */
    bson_destroy(filter);
    filter = BCON_NEW("_id", BCON_INT32(2));
    OK(dbm_mongo_insert(db, "bson", "?", dbm_blob(bson_get_data(filter), filter->len)));
    assert_int_equal(count_of("bson"), 2);
    bson_destroy(doc);
    bson_destroy(filter);
    bson_destroy(pipeline);
}

/* ---- types --------------------------------------------------------------------------------------------------------------------------- */

static void types_go_round(void **state) {
    dbm_row *row = NULL;
    dbm_value v;
    size_t size = 0;
    (void)state;
    OK(dbm_mongo_insert(db, "types",
                        "{\"_id\": 1, \"i32\": ?, \"i64\": ?, \"d\": ?, \"b\": ?, \"s\": ?, \"bin\": ?, \"dec\": ?, \"t\": ?, \"t2\": ?, \"u\": ?, \"oid\": ?, \"n\": ?, \"j\": ?, "
                        "\"nul\": ?, \"e\": ?}",
                        -5, INT64_C(-5000000000), 0.1, dbm_bool(true), "na\xC3\xAFve", dbm_blob("\0\xff", 2), dbm_decimal("-12345678901234567890.50"),
                        dbm_timestamp(INT64_C(1700000000123999)), dbm_timestamp(-1), dbm_uuid("00112233-4455-6677-8899-aAbBcCdDeEfF"),
                        dbm_oid("0123456789abcdefABCDEF01"), NULL, dbm_json(" [1, {\"x\": null}] "), dbm_textn("a\0b", 3), ""));
    OK(dbm_mongo_find_one(db, &row, "types", "{\"_id\": 1}"));
    v = dbm_doc_value(row, "i32");
    assert_true(v.type == DBM_TYPE_INT && v.as.integer == -5);
    v = dbm_doc_value(row, "i64");
    assert_true(v.type == DBM_TYPE_INT && v.as.integer == INT64_C(-5000000000));
    v = dbm_doc_value(row, "d");
    assert_true(v.type == DBM_TYPE_DOUBLE && v.as.real > 0.09999 && v.as.real < 0.10001);
    v = dbm_doc_value(row, "b");
    assert_true(v.type == DBM_TYPE_BOOL && v.as.integer == 1);
    v = dbm_doc_value(row, "s");
    assert_true(v.type == DBM_TYPE_TEXT && strcmp(v.as.text.data, "na\xC3\xAFve") == 0);
    assert_memory_equal(dbm_row_blob(row, 6, &size), "\0\xff", 2);
    assert_int_equal(size, 2);
    v = dbm_doc_value(row, "dec");
    assert_true(v.type == DBM_TYPE_DECIMAL && strcmp(v.as.text.data, "-12345678901234567890.50") == 0);
    assert_int_equal(dbm_doc_timestamp(row, "t"), INT64_C(1700000000123000)); /* whole milliseconds, cut off downwards */
    assert_int_equal(dbm_doc_timestamp(row, "t2"), -1000);
    v = dbm_doc_value(row, "u");
    assert_true(v.type == DBM_TYPE_UUID && strcmp(v.as.text.data, "00112233-4455-6677-8899-aabbccddeeff") == 0);
    v = dbm_doc_value(row, "oid");
    assert_true(v.type == DBM_TYPE_TEXT && strcmp(v.as.text.data, "0123456789abcdefabcdef01") == 0);
    assert_int_equal(dbm_doc_value(row, "n").type, DBM_TYPE_NULL);
    v = dbm_doc_value(row, "j");
    assert_true(v.type == DBM_TYPE_JSON && strcmp(v.as.text.data, "[ 1, { \"x\" : null } ]") == 0);
    v = dbm_doc_value(row, "nul");
    assert_true(v.type == DBM_TYPE_TEXT && v.as.text.size == 3 && memcmp(v.as.text.data, "a\0b", 4) == 0);
    assert_string_equal(dbm_doc_text(row, "e"), "");
    {
        const bson_t *b = dbm_doc_bson(row);
        bson_iter_t it;
        assert_true(bson_iter_init_find(&it, b, "i32") && BSON_ITER_HOLDS_INT32(&it));
        assert_true(bson_iter_init_find(&it, b, "i64") && BSON_ITER_HOLDS_INT64(&it));
        assert_true(bson_iter_init_find(&it, b, "oid") && BSON_ITER_HOLDS_OID(&it));
        assert_true(bson_iter_init_find(&it, b, "t") && BSON_ITER_HOLDS_DATE_TIME(&it));
        assert_true(bson_iter_init_find(&it, b, "dec") && BSON_ITER_HOLDS_DECIMAL128(&it));
    }
    dbm_row_end(row);
    /* extended JSON, canonical and relaxed, and types that are JSON for us */
    OK(dbm_mongo_insert(db, "types", "{\"_id\": 2, \"a\": {\"$numberLong\": \"9007199254740993\"}, \"b\": {\"$date\": \"2024-02-29T12:00:00Z\"}, "
                                     "\"c\": {\"$timestamp\": {\"t\": 5, \"i\": 6}}, \"d\": {\"$minKey\": 1}, \"e\": {\"$numberDouble\": \"NaN\"}}"));
    OK(dbm_mongo_find_one(db, &row, "types", "{\"_id\": 2}"));
    assert_int_equal(dbm_doc_int(row, "a"), INT64_C(9007199254740993));
    assert_int_equal(dbm_doc_timestamp(row, "b"), INT64_C(1709208000000000));
    assert_string_equal(dbm_doc_value(row, "c").as.text.data, "{ \"$timestamp\" : { \"t\" : 5, \"i\" : 6 } }");
    assert_string_equal(dbm_doc_value(row, "d").as.text.data, "{ \"$minKey\" : 1 }");
    dbm_row_end(row);
    /* numbers as libbson has them: the smallest type that holds them */
    OK(dbm_mongo_insert(db, "types", "{\"_id\": 3, \"a\": 2147483647, \"b\": 2147483648, \"c\": -2147483648, \"d\": -9223372036854775808, \"e\": 1.5, \"f\": -0, \"g\": 1e3, \"h\": [[], {}, true, null]}"));
    OK(dbm_mongo_find_one(db, &row, "types", "{\"_id\": 3}"));
    {
        static const struct { const char *name; bson_type_t type; } fields[] = {
            { "a", BSON_TYPE_INT32 }, { "b", BSON_TYPE_INT64 }, { "c", BSON_TYPE_INT32 }, { "d", BSON_TYPE_INT64 }, { "e", BSON_TYPE_DOUBLE }, { "f", BSON_TYPE_INT32 },
            { "g", BSON_TYPE_DOUBLE }, { "h", BSON_TYPE_ARRAY }
        };
        const bson_t *doc = dbm_doc_bson(row);
        bson_iter_t it;
        size_t k;
        for (k = 0; k < sizeof fields / sizeof fields[0]; k++) {
            assert_true(bson_iter_init_find(&it, doc, fields[k].name));
            if (bson_iter_type(&it) != fields[k].type) fail_msg("%s: type %d", fields[k].name, (int)bson_iter_type(&it));
        }
        assert_int_equal(dbm_doc_int(row, "d"), INT64_MIN);
        if (strcmp(dbm_doc_value(row, "h").as.text.data, "[ [ ], { }, true, null ]") != 0) { /* which libbson 2.5 makes of it */
            assert_string_equal(dbm_doc_value(row, "h").as.text.data, "[ [  ], {  }, true, null ]");
        }
    }
    dbm_row_end(row);
    /* what does not fit is refused, before anything is sent */
    IS(dbm_mongo_insert(db, "types", "{\"a\": ?}", UINT64_MAX), DBM_E_RANGE);
    IS(dbm_mongo_insert(db, "types", "{\"a\": ?}", "\xff\xfe"), DBM_E_RANGE);
    SAID("value 1 is a text that is not UTF-8");
    IS(dbm_mongo_insert(db, "types", "{\"a\": 1, \"b\": ?, \"c\": ?}", 1, dbm_decimal("1.2.3")), DBM_E_RANGE);
    SAID("value 2 is no decimal number");
    IS(dbm_mongo_insert(db, "types", "{\"a\": ?}", dbm_uuid("00112233-4455-6677-8899-aabbccddeef")), DBM_E_RANGE);
    IS(dbm_mongo_insert(db, "types", "{\"a\": ?}", dbm_oid("0123")), DBM_E_RANGE);
    IS(dbm_mongo_insert(db, "types", "{\"a\": ?}", dbm_json("{\"secret\": \"hunter2\", }")), DBM_E_MISUSE);
    assert_null(strstr(dbm_last_error()->message, "hunter2"));
}

/* ---- JSON and placeholders --------------------------------------------------------------------------------------------------------------- */

static void json_that_is_wrong_says_where(void **state) {
    static const struct { const char *json; int values; dbm_status want; const char *part; } cases[] = {
        { "{\"a\": ?", 1, DBM_E_MISUSE, "byte 7 (" }, { "", 0, DBM_E_MISUSE, "begins with {" }, { "x", 0, DBM_E_MISUSE, "begins with {" },
        { "{} {}", 0, DBM_E_MISUSE, "byte 3 (" }, { "{\"a\": \"b}", 0, DBM_E_MISUSE, "a string does not end" }, { "{\"a\": 1,}", 0, DBM_E_MISUSE, "JSON is not right" },
        { "{\"a\": ?}", 0, DBM_E_MISUSE, "1 placeholder more" }, { "{\"a\": 1}", 1, DBM_E_MISUSE, "0 placeholders and the call passes 1 value" },
        { "{?: 1}", 1, DBM_E_MISUSE, "field's name" }, { "{\"_id\": {\"$oid\": ?}}", 1, DBM_E_MISUSE, "" },
        { "?", 1, DBM_E_MISUSE, "stands for a whole document" }, { "[]", 0, DBM_E_MISUSE, "not an array" }, { "{\"a\": nil}", 0, DBM_E_MISUSE, "" },
        { "}", 0, DBM_E_MISUSE, "" }, { "{\"a\": \"\n\"}", 0, DBM_E_MISUSE, "control character" },
        { "{\"a\": \"\xff\"}", 0, DBM_E_MISUSE, "not UTF-8" }, { "{\"a\\u0000\": 1}", 0, DBM_E_MISUSE, "has a NUL" }, { "{\"a\": \"\\q\"}", 0, DBM_E_MISUSE, "" },
        { "{\"a\" 1}", 0, DBM_E_MISUSE, "a colon" }, { "{\"a\": 01}", 0, DBM_E_MISUSE, "" }, { "{\"a\": -}", 0, DBM_E_MISUSE, "" }, { "{\"a\": {\"$regex\": ?}}", 1, DBM_E_MISUSE, "no pattern" },
        { "[?", 1, DBM_E_MISUSE, "ends too early" }, { "{\"a\": 1 \"b\": 2}", 0, DBM_E_MISUSE, "a comma or }" }, { "{\"a\": [1}}", 0, DBM_E_MISUSE, "" }, { "\"a\"", 0, DBM_E_MISUSE, "begins with {" }
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t n;
        dbm_status st = cases[i].values == 0 ? dbm_mongo_count(db, &n, "json", cases[i].json) : dbm_mongo_count(db, &n, "json", cases[i].json, 1);
        if (st != cases[i].want || strstr(dbm_last_error()->message, cases[i].part) == NULL) {
            fail_msg("%s: %s: %s", cases[i].json, dbm_status_name(st), dbm_last_error()->message);
        }
    }
    {
        int64_t n;
        IS(dbm_mongo_count(db, &n, "json", NULL), DBM_E_MISUSE);
        IS(dbm_mongo_count(db, &n, "", "{}"), DBM_E_MISUSE);
        IS(dbm_mongo_count(db, &n, "json", "{\"a\": ?}", dbm_named("a", dbm_int(1))), DBM_E_MISUSE);
        SAID("no placeholders with names");
        IS(dbm_mongo_count(db, &n, "json", "{}", dbm_mongo_options("{}"), dbm_mongo_options("{}")), DBM_E_MISUSE);
    }
}

static void values_are_never_read_as_json(void **state) {
    static const char *const attacks[] = { "\"}, \"admin\": true, \"x\": {\"y\": \"", "{\"$gt\": \"\"}", "\001?", "?", "$where", "\\", "\"", "\\u0001?" };
    size_t i;
    (void)state;
    OK(dbm_mongo_insert(db, "safe", "{\"_id\": 0, \"name\": \"root\"}"));
    for (i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        dbm_row *row = NULL;
        int64_t n = -1;
        OK(dbm_mongo_count(db, &n, "safe", "{\"name\": ?}", attacks[i]));
        assert_int_equal(n, 0);
        OK(dbm_mongo_insert(db, "safe", "{\"_id\": ?, \"name\": ?, \"last\": ?}", (int)i + 1, attacks[i], "end"));
        OK(dbm_mongo_find_one(db, &row, "safe", "{\"name\": ?, \"_id\": ?}", attacks[i], (int)i + 1));
        assert_string_equal(dbm_doc_text(row, "name"), attacks[i]);
        assert_string_equal(dbm_doc_text(row, "last"), "end");
        assert_int_equal(dbm_row_columns(row), 3);
        dbm_row_end(row);
    }
    {   /* a pattern is a text too, and its value goes nowhere else */
        int64_t n = -1;
        OK(dbm_mongo_count(db, &n, "safe", "{\"name\": {\"$regex\": ?, \"$options\": \"i\"}}", "^ROO"));
        assert_int_equal(n, 1);
    }
}

/* ---- constraints ---------------------------------------------------------------------------------------------------------------------------- */

static void duplicates_name_their_index(void **state) {
    static const char *const texts[] = { "{\"_id\": 1}", "{\"_id\": 2}", "{\"_id\": 1}", "{\"_id\": 3}" };
    static const char *const broken[] = { "{\"_id\": 8}", "{\"_id\": " };
    (void)state;
    OK(dbm_mongo_create_index(db, "unique", "{\"email\": 1}", dbm_mongo_options("{\"unique\": true, \"name\": \"one_email\", \"sparse\": true}")));
    OK(dbm_mongo_insert(db, "unique", "{\"_id\": 100, \"email\": \"a@b\"}"));
    IS(dbm_mongo_insert(db, "unique", "{\"email\": \"a@b\"}"), DBM_E_CONSTRAINT);
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_UNIQUE);
    assert_string_equal(dbm_last_error()->constraint_name, "one_email");
    assert_string_equal(dbm_last_error()->sqlstate, "23505");
    assert_int_equal(dbm_last_error()->native_code, 11000);
    assert_non_null(strstr(dbm_last_error()->site, "test_mongodb.c:"));
    IS(dbm_mongo_insert(db, "unique", "{\"_id\": 100}"), DBM_E_CONSTRAINT);
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_PRIMARY_KEY);
    IS(dbm_mongo_insert_many(db, "unique", texts, 4), DBM_E_CONSTRAINT);
    SAID("document 2 of 4 (counted from 0), after 2 inserted");
    assert_int_equal(count_of("unique"), 3);
    IS(dbm_mongo_insert_many(db, "unique", broken, 2), DBM_E_MISUSE);
    SAID("document 1");
    assert_int_equal(count_of("unique"), 3);
    IS(dbm_mongo_update(db, "unique", "{\"_id\": 100}", "{\"email\": \"no operator\"}"), DBM_E_SQL);
    IS(dbm_mongo_count(db, &(int64_t){ 0 }, "unique", "{\"a\": {\"$nonsense\": 1}}"), DBM_E_SQL);
}

/* ---- one document: without a cursor of the driver's ---------------------------------------------------------------------------------------------- */

static void one_document_by_its_options(void **state) {
    dbm_row *row = NULL;
    dbm_status rc = DBM_OK;
    int i;
    (void)state;
    for (i = 1; i <= 3; i++) OK(dbm_mongo_insert(db, "one", "{\"_id\": ?, \"n\": ?, \"text\": \"a \\\"quoted\\\" \\u00e9\\n\"}", i, i == 2 ? 50 : 10 * i));
    OK(dbm_mongo_find_one(db, &row, "one", "{}", dbm_mongo_options("{\"sort\": {\"n\": -1}}")));
    assert_int_equal(dbm_doc_int(row, "_id"), 2);
    assert_string_equal(dbm_doc_text(row, "text"), "a \"quoted\" \xc3\xa9\n");
    dbm_row_end(row);
    OK(dbm_mongo_find_one(db, &row, "one", "{\"n\": {\"$lt\": ?}}", 40, dbm_mongo_options("{\"sort\": {\"n\": ?}, \"projection\": {\"_id\": 0, \"n\": 1}}"), -1));
    assert_int_equal(dbm_row_columns(row), 1);
    assert_int_equal(dbm_doc_int(row, "n"), 30);
    assert_string_equal(dbm_doc_json(row), "{ \"n\" : 30 }");
    {
        bson_iter_t it;
        const bson_t *doc = dbm_doc_bson(row);
        assert_true(bson_iter_init_find(&it, doc, "n") && bson_iter_int32(&it) == 30);
        assert_ptr_equal(dbm_doc_bson(row), doc);
    }
    dbm_row_end(row);
    /* what the call means is not for the options to say */
    OK(dbm_mongo_find_one(db, &row, "one", "{}", dbm_mongo_options("{\"limit\": 3, \"batchSize\": 2, \"singleBatch\": false, \"skip\": 2, \"sort\": {\"_id\": 1}}")));
    assert_int_equal(dbm_doc_int(row, "_id"), 3);
    dbm_row_end(row);
    IS(dbm_mongo_find_one(db, &row, "one", "{\"n\": 1000}"), DBM_E_NOT_FOUND);
    IS(dbm_mongo_find_one(db, &row, "one", "{\"n\": {\"$nonsense\": 1}}"), DBM_E_SQL);
    SAID("find_one in 'one'");
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        OK(dbm_mongo_insert(s, "one", "{\"_id\": 4}"));
        OK(dbm_mongo_find_one(s, &row, "one", "{\"_id\": 4}"));
        assert_int_equal(dbm_doc_int(row, "_id"), 4);
        IS(dbm_mongo_find_one(db, &row, "one", "{\"_id\": 5}"), DBM_E_NOT_FOUND);
        dbm_rollback(s);
    }
    IS(dbm_mongo_find_one(db, &row, "one", "{\"_id\": 4}"), DBM_E_NOT_FOUND);
}

/* ---- cursors --------------------------------------------------------------------------------------------------------------------------------- */

static long peak_kib(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static void cursors_stream_and_are_left_early(void **state) {
    enum { MANY = 40000 / FEWER }; /* some 32 MiB, so that a result which is put aside as a whole shows in the memory that it takes */
    char pad[800];
    dbm_bulk *b = NULL;
    dbm_status rc = DBM_OK;
    int i, seen = 0;
    int64_t sum = 0;
    double since = 0;
    long before;
    (void)state;
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = '\0';
    OK(dbm_mongo_drop(db, "many"));
    OK(dbm_bulk_begin(db, &b, "many", "_id,pad"));
    for (i = 0; i < MANY; i++) OK(dbm_bulk_row(b, i, pad));
    OK(dbm_bulk_end(b));
    assert_int_equal(count_of("many"), MANY);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* what was written before a loop that is left early is there, and nothing waits for the rest */
        OK(dbm_mongo_insert(s, "few", "{\"_id\": \"before\"}"));
        DBM_EACH_DOC(s, doc, "many", "{}") {
            seen++;
            since = now_s();
            break;
        }
        assert_true(now_s() - since < 5.0);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(seen, 1);
    assert_int_equal(count_of("few"), 1);
    seen = 0;
    before = peak_kib();
    DBM_EACH_DOC(db, doc, "many", "{}", dbm_mongo_options("{\"batchSize\": 1000}")) {
        sum += dbm_doc_int(doc, "_id");
        seen++;
    }
    assert_int_equal(seen, MANY);
    assert_true(sum == (int64_t)MANY * (MANY - 1) / 2);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(DBM_TEST_SPLIT)
    assert_true(peak_kib() - before < 8192);
#else
    (void)before;
#endif
    /* left early, many times, in one session; other calls run while a loop is open */
    DBM_SESSION(mgr, NULL, s) {
        for (i = 0; i < 10; i++) {
            DBM_EACH_DOC(s, doc, "many", "{}", dbm_mongo_options("{\"batchSize\": 2}")) {
                dbm_row *same = NULL;
                OK(dbm_mongo_find_one(s, &same, "many", "{\"_id\": ?}", dbm_doc_int(doc, "_id")));
                assert_int_equal(dbm_doc_int(same, "_id"), dbm_doc_int(doc, "_id"));
                OK(dbm_mongo_update(s, "many", "{\"_id\": ?}", "{\"$set\": {\"seen\": true}}", dbm_doc_int(doc, "_id")));
                if (dbm_doc_has(doc, "pad")) break;
            }
        }
    }
    assert_false(dbm_session_failed(NULL));
    {   /* nobody is left at the server; other programs' cursors come and go there too */
        int64_t open_now = -1;
        for (i = 0; i < 50 && open_now != 0; i++) {
            dbm_row *row = NULL;
            dbm_rows *rows = NULL;
            bson_iter_t it, open;
            if (i > 0) pause_us(100000);
            OK(dbm_mongo_command(dbm_get(mgr, "admin"), &rows, "{\"serverStatus\": 1}"));
            OK(dbm_rows_next(rows, &row));
            const bson_t *status = dbm_doc_bson(row);
            open_now = 0;
            if (bson_iter_init(&it, status) && bson_iter_find_descendant(&it, "metrics.cursor.open.total", &open)) open_now = bson_iter_as_int64(&open);
            dbm_rows_end(rows);
        }
        assert_int_equal(open_now, 0);
    }
}

/* ---- sessions without a transaction ------------------------------------------------------------------------------------------------------------ */

static dbm_status leave_by_return(dbm_status *rc) {
    DBM_SESSION_RC(mgr, NULL, s, rc) {
        OK(dbm_mongo_insert(s, "plain", "{\"_id\": \"return\"}"));
        DBM_RETURN(s, DBM_OK);
    }
    return DBM_E_SQL;
}

static void without_a_transaction_each_call_stands_alone(void **state) {
    dbm_status rc = DBM_E_SQL;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_mongo_insert(s, "plain", "{\"_id\": 1}"));
        IS(dbm_mongo_insert(s, "plain", "{\"_id\": 1}"), DBM_E_CONSTRAINT);
        IS(dbm_mongo_insert(s, "plain", "{\"_id\": 2}"), DBM_E_CONSTRAINT); /* errors stick */
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT); /* the status is the first failure, and nothing is undone */
    assert_int_equal(count_of("plain"), 1);
    OK(leave_by_return(&rc));
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(count_of("plain"), 2);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_mongo_insert(s, "plain", "{\"_id\": 3}"));
        OK(dbm_rollback(s));
        IS(dbm_mongo_insert(s, "plain", "{\"_id\": 3}"), DBM_E_CONSTRAINT);
        OK(dbm_clear_error(s));
        OK(dbm_mongo_insert(s, "plain", "{\"_id\": 4}"));
        DBM_SESSION_ON(db, inner) OK(dbm_mongo_insert(inner, "plain", "{\"_id\": 5}")); /* joins */
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(count_of("plain"), 5);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_SAVEPOINT(s) fail_msg("there are no savepoints");
    }
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = 1, .status = &rc) {
        int64_t n = 0;
        OK(dbm_mongo_count(s, &n, "plain", "{}"));
        IS(dbm_mongo_drop(s, "plain"), DBM_E_READ_ONLY);
    }
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = 1, .status = &rc) {
        dbm_rows *rows;
        IS(dbm_mongo_aggregate(s, &rows, "plain", "[{\"$out\": \"other\"}]"), DBM_E_READ_ONLY);
    }
    assert_int_equal(rc, DBM_E_READ_ONLY);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        IS(dbm_exec(s, "SELECT ?", 1), DBM_E_UNSUPPORTED);
        SAID("dbm_mongo_find");
    }
}

static void native_handles_are_the_drivers(void **state) {
    dbm_status rc;
    (void)state;
    assert_non_null(dbm_db_native(db, "mongodb"));
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        mongoc_client_t *client = (mongoc_client_t *)dbm_native(s, "mongodb");
        mongoc_collection_t *raw;
        bson_t doc = BSON_INITIALIZER;
        bson_error_t error;
        assert_non_null(client);
        raw = mongoc_client_get_collection(client, fresh.name, "raw");
        bson_append_int32(&doc, "_id", 3, 1);
        assert_true(mongoc_collection_insert_one(raw, &doc, NULL, NULL, &error));
        bson_destroy(&doc);
        mongoc_collection_destroy(raw);
        assert_null(dbm_native(s, "sqlite"));
    }
    assert_int_equal(count_of("raw"), 1);
    /* what the client was told is forgotten with the session, and what was made of it meanwhile */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        mongoc_client_t *client = (mongoc_client_t *)dbm_native(s, "mongodb");
        mongoc_write_concern_t *none = mongoc_write_concern_new();
        mongoc_write_concern_set_w(none, MONGOC_WRITE_CONCERN_W_UNACKNOWLEDGED);
        mongoc_client_set_write_concern(client, none);
        mongoc_write_concern_destroy(none);
        OK(dbm_mongo_insert(s, "raw", "{\"_id\": 1}")); /* a duplicate, and nobody asks */
    }
    assert_int_equal(rc, DBM_OK);
    IS(dbm_mongo_insert(db, "raw", "{\"_id\": 1}"), DBM_E_CONSTRAINT);
}

/* ---- transactions ----------------------------------------------------------------------------------------------------------------------------- */

/* The next `times` commands of these names fail in this way: "\"errorCode\": 112, ..." */
static void fail_next(int times, const char *commands, const char *how) {
    char text[400];
    snprintf(text, sizeof text, "{\"configureFailPoint\": \"failCommand\", \"mode\": {\"times\": %d}, \"data\": {\"appName\": \"%s\", \"failCommands\": [%s], %s}}", times, app_name,
             commands, how);
    OK(dbm_mongo_run(dbm_get(mgr, "admin"), text));
}
static void fail_no_more(void) { OK(dbm_mongo_run(dbm_get(mgr, "admin"), "{\"configureFailPoint\": \"failCommand\", \"mode\": \"off\"}")); }

/* A server may end any transaction and ask for another run of it (its cache is full of what other programs write, say): each is run until it had its
 * chance, as a program would do it. Ends the block where that was asked; a failure of any other kind fails the test. */
static bool again_at(int line, dbm_status st) {
    if (st == DBM_E_SERIALIZATION && dbm_last_error()->retryable) return true;
    ok_at(line, st);
    return false;
}
#define TX_OK(call) if (again_at(__LINE__, call)) continue
#define UNTIL_HEARD(rc) for (int tries = ((rc) = DBM_E_SERIALIZATION, 0); (rc) == DBM_E_SERIALIZATION && tries < 20; tries++)

static dbm_status return_from_transaction(dbm_status *rc) {
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = rc) {
        TX_OK(dbm_mongo_insert(s, "tx", "{\"_id\": \"lost\"}"));
        DBM_RETURN(s, DBM_OK);
    }
    return DBM_E_SQL;
}

static void transactions_commit_and_roll_back(void **state) {
    dbm_status rc = DBM_E_SQL;
    (void)state;
    OK(dbm_mongo_run(db, "{\"create\": \"tx\"}"));
    UNTIL_HEARD(rc) DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        int seen = 0;
        TX_OK(dbm_mongo_insert(s, "tx", "{\"_id\": 1}"));
        TX_OK(dbm_mongo_insert(s, "tx", "{\"_id\": 2}"));
        DBM_EACH_DOC(s, doc, "tx", "{}") seen++;
        TX_OK(dbm_status_of(s));
        assert_int_equal(seen, 2);
        DBM_SESSION_OPT(mgr, NULL, other, .separate = 1) { /* unseen from outside */
            int64_t n = -1;
            OK(dbm_mongo_count(other, &n, "tx", "{}"));
            assert_int_equal(n, 0);
        }
    }
    IS(rc, DBM_OK);
    assert_int_equal(count_of("tx"), 2);
    UNTIL_HEARD(rc) DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        TX_OK(dbm_mongo_update(s, "tx", "{\"_id\": 1}", "{\"$set\": {\"x\": 1}}"));
        TX_OK(dbm_mongo_delete(s, "tx", "{\"_id\": 2}"));
        if (dbm_mongo_insert(s, "tx", "{\"_id\": 1}") != DBM_E_SERIALIZATION) IS(dbm_status_of(s), DBM_E_CONSTRAINT);
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    assert_int_equal(count_of("tx"), 2);
    UNTIL_HEARD(rc) {
        bool committed = false;
        DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
            TX_OK(dbm_mongo_insert(s, "tx", "{\"_id\": 3}"));
            OK(dbm_rollback(s));
            TX_OK(dbm_mongo_insert(s, "tx", "{\"_id\": 4}"));
            TX_OK(dbm_commit(s));
            committed = true;
            TX_OK(dbm_mongo_insert(s, "tx", "{\"_id\": 5}"));
            break;
        }
        if (committed) break;
    }
    assert_true(rc == LEFT_EARLY || rc == DBM_E_SERIALIZATION);
    UNTIL_HEARD(rc) (void)return_from_transaction(&rc);
    assert_int_equal(rc, LEFT_EARLY);
    assert_int_equal(count_of("tx"), 3); /* 1, 2, 4 */
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        DBM_SAVEPOINT(s) fail_msg("there are no savepoints");
    }
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
#if !defined(TEST_AWAITED) /* where none joins */
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) { /* nor in the form of a block inside */
        dbm_status inner_rc;
        DBM_SESSION_RC(mgr, NULL, inner, &inner_rc) {
            assert_int_equal(dbm_mongo_insert(inner, "tx", "{\"_id\": 77}"), DBM_E_UNSUPPORTED);
            assert_non_null(strstr(dbm_last_error()->message, ".separate = 1"));
        }
        assert_int_equal(inner_rc, DBM_E_UNSUPPORTED);
    }
    OK(rc);
    assert_int_equal(count_of("tx"), 3);
    DBM_SESSION(mgr, NULL, s) { /* a transaction can't join what is none */
        DBM_SESSION_OPT(mgr, NULL, inner, .transaction = 1, .status = &rc) fail_msg("joined");
        assert_int_equal(rc, DBM_E_MISUSE);
    }
#endif
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .autocommit = 1, .status = &rc) fail_msg("both at once");
    assert_int_equal(rc, DBM_E_MISUSE);
    for (int i = 0; i < 30; i++) { /* on a loop, the connection goes back on a worker meanwhile */
        DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .isolation = DBM_SERIALIZABLE, .status = &rc) fail_msg("no isolation levels");
        IS(rc, DBM_E_UNSUPPORTED);
    }
    {
        dbm_session s;
        dbm_session_options o = { 0 };
        o.transaction = true;
        UNTIL_HEARD(rc) {
            OK(dbm_session_begin(db, &o, &s));
            rc = dbm_mongo_insert(&s, "tx", "{\"_id\": 6}");
            if (rc == DBM_OK) rc = dbm_commit(&s);
            if (rc != DBM_E_SERIALIZATION) OK(rc);
            (void)dbm_session_end(&s);
        }
        assert_int_equal(count_of("tx"), 4);
    }
}

#if defined(TEST_AWAITED) /* a loop of the task's own */
#  define AGAIN(s, attempts) for (int left = attempts, again = 1; again && left > 0; left--, again = dbm_session_failed(NULL) && dbm_last_error()->retryable) \
        DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1)
#else
#  define AGAIN(s, attempts) DBM_RETRY_OPT(mgr, NULL, s, attempts, .transaction = 1)
#endif
static void transactions_are_run_again(void **state) {
    int runs = 0;
    (void)state;
    OK(dbm_mongo_run(db, "{\"create\": \"again\"}"));
    fail_next(2, "\"insert\"", "\"errorCode\": 112, \"errorLabels\": [\"TransientTransactionError\"]");
    AGAIN(s, 5) {
        runs++;
        dbm_mongo_update(s, "again", "{\"_id\": 1}", "{\"$inc\": {\"n\": 1}}", dbm_mongo_options("{\"upsert\": true}"));
        dbm_mongo_insert(s, "again", "{\"_id\": 2}");
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(runs, 3);
    DBM_EACH_DOC(db, doc, "again", "{\"_id\": 1}") assert_int_equal(dbm_doc_int(doc, "n"), 1);
    assert_int_equal(count_of("again"), 2);
    /* two transactions that write the same document: one of them is told to run again */
    {
        dbm_status rc;
        DBM_SESSION_OPT(mgr, NULL, a, .transaction = 1, .status = &rc) {
            dbm_status inner = DBM_OK;
            OK(dbm_mongo_update(a, "again", "{\"_id\": 1}", "{\"$inc\": {\"n\": 1}}"));
            DBM_SESSION_OPT(mgr, NULL, b, .transaction = 1, .separate = 1, .status = &inner) {
                dbm_mongo_update(b, "again", "{\"_id\": 1}", "{\"$inc\": {\"n\": 1}}");
                assert_true(dbm_last_error()->retryable);
            }
            assert_int_equal(inner, DBM_E_SERIALIZATION);
        }
        assert_int_equal(rc, DBM_OK);
    }
    fail_no_more();
}

/* ---- rows in bulk --------------------------------------------------------------------------------------------------------- */

typedef struct refused_rows { int count; int64_t rows[8]; dbm_status why[8]; } refused_rows;
static void keep_refused(void *ud, int64_t row, const dbm_error_info *error) {
    refused_rows *r = (refused_rows *)ud;
    if (r->count < 8) {
        r->rows[r->count] = row;
        r->why[r->count] = error->status;
    }
    r->count++;
}

static void rows_go_in_in_bulk(void **state) {
    enum { MANY = FEWER == 1 ? 25000 : 11000, BAD = FEWER == 1 ? 12345 : 2345 };
    dbm_bulk *b = NULL;
    dbm_status rc = DBM_OK;
    refused_rows refused;
    int64_t ids[3] = { 7, 8, 9 };
    const char *names[3] = { "a", "b", "c" };
    const unsigned char nulls[1] = { 2 };
    int i;
    (void)state;
    /* several batches; names that are no words of SQL; a document has its _id first, made here where it is no column */
    OK(dbm_mongo_drop(db, "bulk.rows"));
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_bulk_begin(s, &b, "bulk.rows", "n, first-name, at"));
        for (i = 0; i < MANY; i++) OK(dbm_bulk_row(b, i, i % 2 != 0 ? "odd" : NULL, dbm_timestamp(1000000)));
        OK(dbm_bulk_end(b));
        assert_int_equal(dbm_affected(s), MANY);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(count_of("bulk.rows"), MANY);
    DBM_EACH_DOC(db, doc, "bulk.rows", "{\"n\": ?}", MANY - 1) {
        assert_int_equal(dbm_row_columns(doc), 4);
        assert_string_equal(dbm_row_name(doc, 0), "_id");
        assert_string_equal(dbm_row_name(doc, 2), "first-name");
        assert_string_equal(dbm_row_text(doc, 2), "odd");
        assert_int_equal(dbm_row_timestamp(doc, 3), 1000000);
    }
    /* arrays */
    OK(dbm_bulk_begin(db, &b, "bulk.rows", "_id,name"));
    OK(dbm_bulk_columns(b, ((const dbm_column[]){ DBM_COLUMN(ids), DBM_COLUMN_NULLS(names, nulls) }), 2, 3));
    OK(dbm_bulk_end(b));
    DBM_EACH_DOC(db, doc, "bulk.rows", "{\"_id\": 8}") assert_true(dbm_row_is_null(doc, 1));
    /* a row that is refused fails it; what went before stays, for there is no transaction */
    OK(dbm_mongo_drop(db, "bulk.rows"));
    OK(dbm_bulk_begin(db, &b, "bulk.rows", "_id"));
    for (i = 0, rc = DBM_OK; i < MANY && rc == DBM_OK; i++) rc = dbm_bulk_row(b, i == BAD ? 3 : i);
    IS(rc, DBM_E_CONSTRAINT);
    SAID(FEWER == 1 ? "row 12345 of the bulk" : "row 2345 of the bulk");
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_PRIMARY_KEY);
    IS(dbm_bulk_end(b), DBM_E_CONSTRAINT);
    assert_int_equal(count_of("bulk.rows"), BAD);
    OK(dbm_bulk_begin(db, &b, "bulk.rows", "_id,big"));
    OK(dbm_bulk_row(b, 100000, 1));
    IS(dbm_bulk_row(b, 100001, (uint64_t)1 << 63), DBM_E_RANGE);
    SAID("column big");
    IS(dbm_bulk_end(b), DBM_E_RANGE);
    assert_int_equal(count_of("bulk.rows"), BAD); /* nothing had been sent */
    /* dropped */
    OK(dbm_bulk_begin(db, &b, "bulk.rows", "_id"));
    OK(dbm_bulk_row(b, 100000));
    OK(dbm_bulk_abandon(b));
    assert_int_equal(count_of("bulk.rows"), BAD);
    /* each row by itself, refused here or by the server */
    memset(&refused, 0, sizeof refused);
    OK(dbm_mongo_drop(db, "bulk.rows"));
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_bulk_begin_opt(s, &b, "bulk.rows", "_id,big", .each_row = 1, .failed = keep_refused, .failed_ud = &refused));
        for (i = 0; i < MANY; i++) OK(dbm_bulk_row(b, i == BAD || i == 20 ? 3 : i, i == 10 ? (uint64_t)1 << 63 : 1u));
        OK(dbm_bulk_end(b));
        assert_int_equal(dbm_affected(s), MANY - 3);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(refused.count, 3);
    assert_int_equal(refused.rows[0], 10);
    assert_int_equal(refused.why[0], DBM_E_RANGE);
    assert_int_equal(refused.rows[1], 20);
    assert_int_equal(refused.rows[2], BAD);
    assert_int_equal(refused.why[2], DBM_E_CONSTRAINT);
    assert_int_equal(count_of("bulk.rows"), MANY - 3);
}

static void a_bulk_of_a_transaction_is_kept_or_undone_with_it(void **state) {
    dbm_bulk *b = NULL;
    dbm_status rc = DBM_OK;
    int i;
    (void)state;
    OK(dbm_mongo_drop(db, "bulk"));
    OK(dbm_mongo_run(db, "{\"create\": \"bulk\"}"));
    UNTIL_HEARD(rc) DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        TX_OK(dbm_bulk_begin(s, &b, "bulk", "_id"));
        for (i = 0; i < 100; i++) OK(dbm_bulk_row(b, i));
        TX_OK(dbm_bulk_end(b));
    }
    OK(rc);
    assert_int_equal(count_of("bulk"), 100);
    UNTIL_HEARD(rc) DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        TX_OK(dbm_bulk_begin(s, &b, "bulk", "_id"));
        for (i = 200; i < 300; i++) OK(dbm_bulk_row(b, i != 250 ? i : 50));
        rc = dbm_bulk_end(b);
        if (rc != DBM_E_SERIALIZATION) IS(rc, DBM_E_CONSTRAINT);
    }
    IS(rc, DBM_E_CONSTRAINT);
    SAID("row 50 of the bulk");
    assert_int_equal(count_of("bulk"), 100);
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) {
        IS(dbm_bulk_begin_opt(s, &b, "bulk", "_id", .each_row = 1), DBM_E_UNSUPPORTED);
        SAID(".each_row");
    }
    assert_int_equal(count_of("bulk"), 100);
}

static void a_lost_commit_is_in_doubt(void **state) {
    dbm_status rc = DBM_OK;
    dbm_stats_info before, after;
    (void)state;
    OK(dbm_mongo_run(db, "{\"create\": \"doubt\"}"));
    OK(dbm_stats(db, &before));
    fail_next(3, "\"commitTransaction\"", "\"closeConnection\": true");
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) OK(dbm_mongo_insert(s, "doubt", "{\"_id\": 1}"));
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    DBM_FAILED(err) {
        assert_int_equal(err->stage, DBM_STAGE_COMMIT);
        assert_false(err->retryable);
    }
    fail_no_more();
    OK(dbm_stats(db, &after));
    assert_int_equal(after.in_doubt - before.in_doubt, 1);
    assert_int_equal(after.broken - before.broken, 1);
    /* one that the driver's own second try cures is none */
    fail_next(1, "\"commitTransaction\"", "\"closeConnection\": true");
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) OK(dbm_mongo_insert(s, "doubt", "{\"_id\": 2}"));
    assert_int_equal(rc, DBM_OK);
    /* and so is one that the server did not answer in time, though the connection lives */
    fail_next(3, "\"commitTransaction\"", "\"errorCode\": 50");
    DBM_SESSION_OPT(mgr, NULL, s, .transaction = 1, .status = &rc) OK(dbm_mongo_insert(s, "doubt", "{\"_id\": 20}"));
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    fail_no_more();
    /* a write outside of a transaction, whose two tries both lose the connection */
    fail_next(2, "\"insert\"", "\"closeConnection\": true");
    IS(dbm_mongo_insert(db, "doubt", "{\"_id\": 3}"), DBM_E_IN_DOUBT);
    fail_no_more();
    /* a read is LOST, and may be tried again; one loss is repaired by the driver */
    fail_next(1, "\"find\"", "\"closeConnection\": true");
    DBM_EACH_DOC(db, doc, "doubt", "{}") (void)doc;
    fail_no_more();
    OK(dbm_mongo_insert(db, "doubt", "{\"_id\": 4}"));
    /* in a transaction a lost connection is worth another run of all of it */
    fail_next(1, "\"insert\"", "\"closeConnection\": true");
    {
        int runs = 0;
        AGAIN(s, 3) {
            runs++;
            dbm_mongo_insert(s, "doubt", "{\"_id\": 5}");
        }
        assert_false(dbm_session_failed(NULL));
        assert_int_equal(runs, 2);
    }
    fail_no_more();
}

static void server_errors_have_their_status(void **state) {
    static const struct { int code; dbm_status want; bool retryable; } cases[] = {
        { 50, DBM_E_TIMEOUT, false }, { 13, DBM_E_AUTH, false }, { 18, DBM_E_AUTH, false }, { 112, DBM_E_SERIALIZATION, true }, { 11601, DBM_E_CANCELLED, false },
        { 59, DBM_E_UNSUPPORTED, false }, { 10334, DBM_E_LIMIT, false }, { 8000, DBM_E_SQL, false }
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char how[64];
        int64_t n = 0;
        dbm_status st;
        snprintf(how, sizeof how, "\"errorCode\": %d", cases[i].code);
        fail_next(1, "\"aggregate\"", how);
        st = dbm_mongo_count(db, &n, "none", "{}");
        fail_no_more();
        if (st != cases[i].want || dbm_last_error()->native_code != cases[i].code || dbm_last_error()->retryable != cases[i].retryable) {
            fail_msg("%d: %s, native %d: %s", cases[i].code, dbm_status_name(st), dbm_last_error()->native_code, dbm_last_error()->message);
        }
    }
    fail_next(2, "\"insert\"", "\"errorCode\": 10107");
    IS(dbm_mongo_insert(db, "none", "{}"), DBM_E_READ_ONLY);
    assert_true(dbm_last_error()->retryable);
    fail_no_more();
}

/* ---- a server that stands alone ------------------------------------------------------------------------------------------------------------------ */

typedef struct alone { int fd, port; pthread_t thread; int stop; int commands; } alone;

static void put32(uint8_t *to, int32_t v) { memcpy(to, &v, 4); }

static bool read_all(int fd, void *to, size_t n, const int *stop) {
    uint8_t *p = (uint8_t *)to;
    while (n > 0) {
        struct pollfd one = { fd, POLLIN, 0 };
        ssize_t got;
        if (__atomic_load_n(stop, __ATOMIC_RELAXED)) return false;
        if (poll(&one, 1, 50) == 0) continue;
        got = recv(fd, p, n, 0);
        if (got <= 0) return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

/* One message: the old OP_QUERY of a first hello, or OP_MSG. Both are answered with what a hello and an `ok` need, and no setName. */
static bool alone_answer(alone *a, int fd) {
    uint8_t head[16], body[65536], out[1024];
    int32_t size, opcode, id;
    size_t at;
    bson_t *answer;
    bool old, sent;
    if (!read_all(fd, head, 16, &a->stop)) return false;
    memcpy(&size, head, 4);
    memcpy(&id, head + 4, 4);
    memcpy(&opcode, head + 12, 4);
    if (size < 16 || (size_t)size - 16 > sizeof body || !read_all(fd, body, (size_t)size - 16, &a->stop)) return false;
    old = opcode == 2004;
    (void)__atomic_add_fetch(&a->commands, 1, __ATOMIC_RELAXED);
    answer = BCON_NEW("ismaster", BCON_BOOL(true), "isWritablePrimary", BCON_BOOL(true), "helloOk", BCON_BOOL(true), "maxBsonObjectSize", BCON_INT32(16777216),
                      "maxMessageSizeBytes", BCON_INT32(48000000), "maxWriteBatchSize", BCON_INT32(100000), "minWireVersion", BCON_INT32(0), "maxWireVersion",
                      BCON_INT32(17), "logicalSessionTimeoutMinutes", BCON_INT32(30), "readOnly", BCON_BOOL(false), "far", BCON_DATE_TIME(INT64_MAX),
                      "ok", BCON_DOUBLE(1.0));
    memset(out, 0, sizeof out);
    at = old ? 36 : 21;
    memcpy(out + at, bson_get_data(answer), answer->len);
    put32(out, (int32_t)(at + answer->len));
    put32(out + 4, 1);
    put32(out + 8, id);
    put32(out + 12, old ? 1 : 2013);
    if (old) put32(out + 32, 1); /* numberReturned */
    sent = send(fd, out, at + answer->len, MSG_NOSIGNAL) == (ssize_t)(at + answer->len);
    bson_destroy(answer);
    return sent;
}

typedef struct alone_peer { alone *a; int fd; } alone_peer;
static void *alone_serve(void *ud) {
    alone_peer *p = (alone_peer *)ud;
    while (alone_answer(p->a, p->fd)) {}
    (void)close(p->fd);
    free(p);
    return NULL;
}

static void *alone_run(void *ud) {
    alone *a = (alone *)ud;
    pthread_t peers[64];
    int n = 0, i;
    while (!__atomic_load_n(&a->stop, __ATOMIC_RELAXED)) {
        struct pollfd one = { a->fd, POLLIN, 0 };
        alone_peer *p;
        if (poll(&one, 1, 50) <= 0 || n == 64) continue;
        p = (alone_peer *)malloc(sizeof *p);
        assert_non_null(p);
        p->a = a;
        p->fd = accept(a->fd, NULL, NULL);
        if (pthread_create(&peers[n], NULL, alone_serve, p) == 0) n++;
    }
    for (i = 0; i < n; i++) (void)pthread_join(peers[i], NULL);
    return NULL;
}

static void alone_start(alone *a) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(a, 0, sizeof *a);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(a->fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(a->fd, 16), 0);
    assert_int_equal(getsockname(a->fd, (struct sockaddr *)&address, &size), 0);
    a->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&a->thread, NULL, alone_run, a), 0);
}

static void alone_stop(alone *a) {
    __atomic_store_n(&a->stop, 1, __ATOMIC_RELAXED);
    (void)pthread_join(a->thread, NULL);
    (void)close(a->fd);
}

static void a_server_that_stands_alone_refuses_before_the_body(void **state) {
    alone a;
    char url[80];
    dbm_manager *m;
    dbm_status rc = DBM_OK;
    int before, runs = 0;
    (void)state;
    alone_start(&a);
    snprintf(url, sizeof url, "mongodb://127.0.0.1:%d/x", a.port);
    m = manager_of(DBM_CONFIG(.url = url));
    OK(dbm_init_all(m));
    before = __atomic_load_n(&a.commands, __ATOMIC_RELAXED);
    DBM_SESSION_OPT(m, NULL, s, .transaction = 1, .status = &rc) runs++;
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
    assert_int_equal(runs, 0);
    DBM_FAILED(err) {
        runs++;
        assert_non_null(strstr(err->message, "needs a replica set"));
        assert_non_null(strstr(err->site, "test_mongodb.c:"));
        assert_int_equal(err->stage, DBM_STAGE_BEGIN);
    }
    assert_int_equal(runs, 1);
    assert_int_equal(__atomic_load_n(&a.commands, __ATOMIC_RELAXED), before); /* nothing was sent for it */
    DBM_RETRY_OPT(m, NULL, s, 3, .transaction = 1) fail_msg("the body ran");
    DBM_SESSION_RC(m, NULL, s, &rc) OK(dbm_mongo_run(s, "{\"anything\": 1}"));
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(m, NULL, s, &rc) { /* a date that microseconds can't tell is no wrong date */
        dbm_rows *rows = NULL;
        dbm_row *row = NULL;
        OK(dbm_mongo_command(s, &rows, "{\"anything\": 1}"));
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_doc_value(row, "far").type, DBM_TYPE_NULL);
    }
    assert_int_equal(rc, DBM_E_RANGE);
    {
        dbm_stats_info st;
        OK(dbm_stats(dbm_get(m, NULL), &st));
        assert_int_equal(st.out, 0);
    }
    OK(dbm_close_all(m));
    manager_end(m);
    alone_stop(&a);
}

static dbm_status plain_init(dbm_database *d) { (void)d; return DBM_OK; }
static void plain_close(dbm_database *d) { (void)d; }
static dbm_status plain_execute(dbm_connection *c, dbm_op *op) { (void)c; (void)op; return DBM_OK; }
static dbm_status plain_connect(dbm_connection *c, dbm_op *op) { (void)c; (void)op; return DBM_OK; }
static void plain_disconnect(dbm_connection *c, dbm_disconnect how) { (void)c; (void)how; }

static void backends_without_transactions_refuse_one(void **state) {
    static const dbm_adapter plain = DBM_ADAPTER(.type = "plain", .init = plain_init, .close = plain_close, .connect = plain_connect,
                                                 .disconnect = plain_disconnect, .execute = plain_execute);
    dbm_manager *m = NULL;
    dbm_status rc = DBM_OK;
    (void)state;
    OK(dbm_manager_create(&m, NULL));
    OK(dbm_register(m, &plain));
    OK(dbm_add_database(m, DBM_CONFIG(.url = "plain://h/x")));
    DBM_SESSION_OPT(m, NULL, s, .transaction = 1, .status = &rc) fail_msg("the body ran");
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
    DBM_FAILED(err) assert_non_null(strstr(err->message, "'plain'"));
    DBM_SESSION_RC(m, NULL, s, &rc) OK(dbm_exec(s, "anything"));
    assert_int_equal(rc, DBM_OK);
    dbm_manager_free(m);
}

static void other_backends_answer_what_they_are(void **state) {
    dbm_manager *m = manager_of(DBM_CONFIG(.url = "sqlite:///:memory:"));
    dbm_database *lite = dbm_get(m, NULL);
    dbm_status rc = DBM_OK;
    dbm_row *row = NULL;
    (void)state;
    IS(dbm_mongo_insert(lite, "users", "{}"), DBM_E_UNSUPPORTED);
    SAID("'sqlite'");
    IS(dbm_mongo_insert((dbm_database *)NULL, "users", "{}"), dbm_last_error()->status);
    DBM_SESSION_OPT(m, NULL, s, .transaction = 1, .status = &rc) {
        OK(dbm_exec(s, "CREATE TABLE t(a)"));
        OK(dbm_exec(s, "INSERT INTO t VALUES (?)", 1));
        OK(dbm_query_one(s, &row, "SELECT a FROM t"));
        assert_null(dbm_doc_bson(row));
        IS(dbm_status_of(s), DBM_E_UNSUPPORTED);
    }
    assert_int_equal(rc, DBM_E_UNSUPPORTED);
    IS(dbm_exec(lite, "SELECT ?", dbm_oid("0123456789abcdef01234567")), DBM_E_MISUSE);
    manager_end(m);
}

/* ---- servers that go, and that are not there ------------------------------------------------------------------------------------------------------- */

static void a_killed_server_shows_in_the_status(void **state) {
    servers_own own;
    char url[700];
    dbm_manager *m;
    dbm_database *d;
    dbm_status rc = DBM_OK;
    double before;
    int i, seen = 0;
    (void)state;
    servers_start(&own, "mongodb", NULL);
    url_with(servers_own_url(&own, "mongodb"), "heartbeatFrequencyMS=500", url, sizeof url);
    m = manager_of(DBM_CONFIG(.url = url, .connect_timeout_ms = 1500));
    OK(dbm_init_all(m));
    d = dbm_get(m, NULL);
    for (i = 0; i < 100; i++) OK(dbm_mongo_insert(d, "c", "{\"_id\": ?}", i));
    /* in the middle of a cursor, and then under a write */
    DBM_SESSION_RC(m, NULL, s, &rc) {
        DBM_EACH_DOC(s, doc, "c", "{}", dbm_mongo_options("{\"batchSize\": 10}")) {
            if (seen++ == 0) servers_signal(&own, SIGKILL);
        }
        assert_true(seen >= 1 && seen < 100);
        IS(dbm_status_of(s), DBM_E_LOST);
        assert_true(dbm_last_error()->retryable);
    }
    assert_int_equal(rc, DBM_E_LOST);
    before = now_s();
    rc = dbm_mongo_insert(d, "c", "{\"_id\": 1000}");
    assert_true(rc == DBM_E_CONNECT || rc == DBM_E_LOST || rc == DBM_E_IN_DOUBT);
    assert_true(now_s() - before < 5.0);
    assert_true(dbm_ping(d) != DBM_OK);
    servers_start_again(&own, NULL);
    for (i = 0; i < 100 && (rc = dbm_mongo_count(d, &(int64_t){ 0 }, "c", "{}")) != DBM_OK; i++) pause_us(100000);
    assert_int_equal(rc, DBM_OK);
    /* while idle: the driver finds another connection */
    OK(dbm_mongo_insert(d, "c", "{\"_id\": 2000}"));
    servers_signal(&own, SIGKILL);
    servers_start_again(&own, NULL);
    pause_us(1200000);
    OK(dbm_mongo_insert(d, "c", "{\"_id\": 2001}"));
    /* a transaction that was open goes with the server */
    DBM_SESSION_OPT(m, NULL, s, .transaction = 1, .status = &rc) {
        OK(dbm_mongo_insert(s, "c", "{\"_id\": 3000}"));
        servers_signal(&own, SIGKILL);
        assert_true(dbm_mongo_insert(s, "c", "{\"_id\": 3001}") != DBM_OK);
        assert_true(dbm_last_error()->retryable);
    }
    assert_true(rc == DBM_E_LOST || rc == DBM_E_CONNECT);
    before = now_s();
    OK(dbm_close_all(m));
    manager_end(m);
    assert_true(now_s() - before < 5.0);
    servers_remove(&own);
}

static void a_stopped_server_does_not_hang(void **state) {
    servers_own own;
    dbm_manager *m;
    dbm_database *d;
    double before;
    dbm_status rc;
    (void)state;
    servers_start(&own, "mongodb", NULL);
    m = manager_of(DBM_CONFIG(.url = servers_own_url(&own, "mongodb"), .statement_timeout_ms = 500, .connect_timeout_ms = 1000));
    OK(dbm_init_all(m));
    d = dbm_get(m, NULL);
    OK(dbm_mongo_insert(d, "c", "{\"_id\": 1}"));
    servers_signal(&own, SIGSTOP);
    before = now_s();
    rc = dbm_mongo_count(d, &(int64_t){ 0 }, "c", "{}");
    assert_true(rc == DBM_E_TIMEOUT || rc == DBM_E_CONNECT || rc == DBM_E_LOST);
    assert_true(now_s() - before < 6.0);
    servers_signal(&own, SIGCONT);
    manager_end(m);
    servers_remove(&own);
}

#if defined(TEST_AWAITED)
/* A task whose call waits on a worker for a server that says nothing more: its deadline, its cancel and the end of its loop are heard, and a write is in doubt. */
typedef struct stopped { dbm_session s; int64_t n; int how, told; bool writes; dbm_status status; mongo_call call; } stopped;
static dbm_task_status waits_for_it(dbm_task *t) {
    stopped *x = (stopped *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    DBM_AWAIT(t, dbm_async_run(&x->s, mongo_call_run, &x->call));
    DBM_TASK_END(t);
}
static void stopped_over(void *ud, dbm_status status, const dbm_error_info *error) {
    stopped *x = (stopped *)ud;
    (void)error;
    x->told++;
    x->status = status;
}
static void tasks_on_a_stopped_server(void **state) {
    servers_own own;
    dbm_manager *m;
    dbm_stats_info s;
    double from, took;
    (void)state;
    servers_start(&own, "mongodb", NULL);
    m = manager_of(DBM_CONFIG(.url = servers_own_url(&own, "mongodb"), .connect_timeout_ms = 1000, .pool.size = 1));
    for (int how = 0; how < 6; how++) { /* a deadline, a cancel, the loop's end; each for what reads and what writes */
        dbm_loop *own_loop;
        dbm_task_handle h;
        stopped x;
        memset(&x, 0, sizeof x);
        x.writes = how % 2 == 1;
        x.call.want = x.writes ? WANTS_NOTHING : WANTS_COUNT;
        x.call.call = DBM__MONGO_INSERT;
        x.call.coll = "c";
        x.call.json = "{}";
        x.call.out = &x.n;
        OK(dbm_mongo_run(dbm_get(m, NULL), "{\"ping\": 1}"));
        OK(dbm_loop_create(&own_loop, m, NULL));
        servers_signal(&own, SIGSTOP);
        from = now_s();
        h = dbm_spawn_opt(own_loop, waits_for_it, &x, .on_end = stopped_over, .on_end_ud = &x, .deadline_ms = how < 2 ? 300 : 0);
        if (how >= 2) IS(dbm_loop_run(own_loop, 200), DBM_E_TIMEOUT);
        if (how / 2 == 1) OK(dbm_task_cancel(h));
        if (how < 4) OK(dbm_loop_run(own_loop, 30000));
        dbm_loop_free(own_loop);
        took = now_s() - from;
        assert_int_equal(x.told, 1);
        if (x.status != (x.writes ? DBM_E_IN_DOUBT : how < 2 ? DBM_E_TIMEOUT : how < 4 ? DBM_E_CANCELLED : DBM_E_CLOSED) || took > 8.0) {
            fail_msg("%d: %s after %.1f s", how, dbm_status_name(x.status), took);
        }
        OK(dbm_stats(dbm_get(m, NULL), &s));
        assert_true(s.out == 0 && s.connecting == 0 && s.waiting == 0 && s.idle == s.open);
        servers_signal(&own, SIGCONT);
    }
    manager_end(m);
    servers_remove(&own);
}
#endif

static int closed_port(void) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void a_server_that_is_down_says_so_in_time(void **state) {
    char url[100];
    dbm_manager *m;
    double before = now_s();
    (void)state;
    snprintf(url, sizeof url, "mongodb://app:hunter2@127.0.0.1:%d/x", closed_port());
    m = manager_of(DBM_CONFIG(.url = url));
    IS(dbm_init_all(m), DBM_E_CONNECT);
    assert_true(now_s() - before < 6.0);
    assert_null(strstr(dbm_last_error()->message, "hunter2"));
    assert_non_null(dbm_get(m, NULL));
    manager_end(m);
    m = manager_of(DBM_CONFIG(.url = url));
    before = now_s();
    {
        dbm_status rc = DBM_OK;
        DBM_SESSION_OPT(m, NULL, s, .timeout_ms = 300, .status = &rc) fail_msg("the body ran");
        assert_true(rc == DBM_E_TIMEOUT || rc == DBM_E_CONNECT);
    }
    assert_true(now_s() - before < 1.5); /* the session's own deadline, not the driver's five seconds */
    manager_end(m);
}

static dbm_status rotating(void *ud, dbm_credentials *out) {
    int *turn = (int *)ud;
    out->user = "dbm";
    out->password = (*turn)++ == 1 ? "wrong" : "s3cret;pw@%";
    return DBM_OK;
}

static void passwords_are_checked_and_rotate(void **state) {
    servers_own own;
    char url[200];
    const char *good, *at;
    dbm_manager *m;
    int turn = 0;
    (void)state;
    servers_start(&own, "mongodb", "--auth", NULL);
    good = servers_own_url(&own, "mongodb");
    m = manager_of(DBM_CONFIG(.url = good));
    OK(dbm_init_all(m));
    OK(dbm_mongo_insert(dbm_get(m, NULL), "c", "{\"_id\": 1}"));
    manager_end(m);
    at = strrchr(good, '@');
    snprintf(url, sizeof url, "mongodb://dbm:wrong%%40pass@%s", at + 1);
    m = manager_of(DBM_CONFIG(.url = url));
    IS(dbm_init_all(m), DBM_E_AUTH);
    assert_null(strstr(dbm_last_error()->message, "wrong@pass"));
    manager_end(m);
    /* a callback is asked at each connect, and what it says counts from then on */
    snprintf(url, sizeof url, "mongodb://%s", at + 1);
    m = manager_of(DBM_CONFIG(.url = url, .credentials = rotating, .credentials_ud = &turn));
    {
        dbm_session one, two;
        OK(dbm_session_begin(dbm_get(m, NULL), NULL, &one));
        OK(dbm_mongo_count(&one, &(int64_t){ 0 }, "c", "{}"));
        IS(dbm_session_begin(dbm_get(m, NULL), NULL, &two), DBM_E_AUTH);
        OK(dbm_mongo_count(&one, &(int64_t){ 0 }, "c", "{}"));
        pause_us(600000); /* the pause after a connect that failed */
        OK(dbm_session_begin(dbm_get(m, NULL), NULL, &two));
        OK(dbm_mongo_count(&two, &(int64_t){ 0 }, "c", "{}"));
        OK(dbm_session_end(&two));
        OK(dbm_session_end(&one));
    }
    assert_int_equal(turn, 3);
    manager_end(m);
    servers_remove(&own);
}

/* ---- configuration ---------------------------------------------------------------------------------------------------------------------------------- */

static void refused_at(int line, const dbm_config *config, const char *part) {
    dbm_manager *m = manager_of(config);
    if (dbm_init_all(m) != DBM_E_CONFIG || strstr(dbm_last_error()->message, part) == NULL) {
        fail_msg("line %d: %s %s", line, dbm_status_name(dbm_last_error()->status), dbm_last_error()->message);
    }
    manager_end(m);
}
#define REFUSED(part, ...) refused_at(__LINE__, DBM_CONFIG(__VA_ARGS__), part)

static void configurations_are_checked(void **state) {
    (void)state;
    REFUSED("names no database", .url = "mongodb://127.0.0.1:1");
    REFUSED("names no database", .url = "mongodb://127.0.0.1:1/");
    REFUSED("can't be the name", .url = "mongodb://127.0.0.1:1/a%20b");
    REFUSED("did you mean replicaSet?", .url = "mongodb://127.0.0.1:1/x?replicasett=rs0");
    REFUSED("maxPoolSize=3", .url = "mongodb://127.0.0.1:1/x?maxPoolSize=3");
    REFUSED("prefer", .url = "mongodb://127.0.0.1:1/x", .tls = DBM_TLS_PREFER);
    REFUSED("tls differs", .url = "mongodb://127.0.0.1:1/x?tls=true", .tls = DBM_TLS_OFF);
    REFUSED("one PEM file", .url = "mongodb://127.0.0.1:1/x", .tls = DBM_TLS_REQUIRE, .tls_cert = "/a", .tls_key = "/b");
    REFUSED("isolation_level", .url = "mongodb://127.0.0.1:1/x", .isolation = DBM_SERIALIZABLE);
    REFUSED("init_sql", .url = "mongodb://127.0.0.1:1/x", .init_sql = "SELECT 1");
    REFUSED("driver_log", .url = "mongodb://127.0.0.1:1/x?driver_log=loud");
    REFUSED("", .url = "mongodb://127.0.0.1:1/x?readPreference=nonsense");
    {
        char url[800];
        dbm_manager *m = NULL;
        char text[1000];
        url_with(fresh.url, "appName=a%20b&readPreference=primaryPreferred&readConcernLevel=majority&w=majority", url, sizeof url);
        snprintf(text, sizeof text, "[databases.default]\nurl = %s\nmax_connections = 3\ndatabase = %s\nconnect_args.retryWrites = false\n", url, fresh.name);
        OK(dbm_manager_create(&m, NULL));
        OK(dbm_load_text(m, text, SIZE_MAX));
        OK(dbm_init_all(m));
        OK(dbm_mongo_insert(dbm_get(m, NULL), "configured", "{}"));
        assert_int_equal(count_of("configured"), 1);
        dbm_manager_free(m);
    }
}

/* ---- threads, forks, cancelling ------------------------------------------------------------------------------------------------------------------------ */

static void *hundred_inserts(void *ud) {
    int i;
    for (i = 0; i < 100; i++) {
        DBM_SESSION_ON(db, s) {
            dbm_mongo_insert(s, "threads", "{\"_id\": ?}", *(const int *)ud * 1000 + i);
            dbm_mongo_update(s, "threads", "{\"_id\": ?}", "{\"$set\": {\"x\": ?}}", *(const int *)ud * 1000 + i, i);
        }
        if (dbm_session_failed(NULL)) return ud;
    }
    return NULL;
}

static void threads_share_a_pool(void **state) {
    pthread_t threads[8];
    int numbers[8], i;
    dbm_stats_info st;
    (void)state;
    for (i = 0; i < 8; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, hundred_inserts, &numbers[i]), 0);
    }
    for (i = 0; i < 8; i++) {
        void *bad = NULL;
        (void)pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    assert_int_equal(count_of("threads"), 800);
    OK(dbm_stats(db, &st));
    assert_int_equal(st.out, 0);
}

static void a_cancelled_session_sends_no_more(void **state) {
    dbm_status rc = DBM_OK;
    int seen = 0;
    (void)state;
    OK(dbm_mongo_drop(db, "cancel"));
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_session copy = *s;
        OK(dbm_mongo_insert(s, "cancel", "{\"_id\": 1}"));
        OK(dbm_mongo_insert(s, "cancel", "{\"_id\": 2}"));
        DBM_EACH_DOC(s, doc, "cancel", "{}") {
            seen++;
            OK(dbm_cancel(&copy));
        }
        IS(dbm_mongo_insert(s, "cancel", "{\"_id\": 3}"), DBM_E_CANCELLED);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_int_equal(seen, 1);
    assert_int_equal(count_of("cancel"), 2);
}

static void a_fork_gets_connections_of_its_own(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    OK(dbm_mongo_drop(db, "fork"));
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        int status = 0;
        pid_t child;
        OK(dbm_mongo_insert(s, "fork", "{\"_id\": 1}"));
        child = fork();
        if (child == 0) {
            if (dbm_mongo_insert(s, "fork", "{\"_id\": \"no\"}") != DBM_E_FORKED) _exit(2);
            if (dbm_mongo_insert(db, "fork", "{\"_id\": 2}") != DBM_OK) _exit(3);
            _exit(0);
        }
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        OK(dbm_mongo_insert(s, "fork", "{\"_id\": 3}"));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(count_of("fork"), 3);
}

/* The allocator fails at each place in turn: what is ours is given back, whatever the driver does with its own memory. */
static void every_allocation_may_fail(void **state) {
    static test_heap heap;
    static const char *const texts[] = { "{\"_id\": 1}", "{\"_id\": 2}" };
    dbm_options options;
    dbm_manager *m = NULL;
    dbm_database *d = NULL;
    long n, before = -1;
    (void)state;
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    options.log = test_silence;
    for (n = 1; heap.failed != before; n++) { /* until as many as it makes have failed, each once */
        dbm_status st;
        if (m != NULL) dbm_manager_free(m);
        m = NULL;
        assert_int_equal(test_heap_live(&heap), 0);
        before = heap.failed;
        test_heap_fail(&heap, n);
        st = dbm_manager_create(&m, &options);
        if (st == DBM_OK) st = dbm_add_database(m, DBM_CONFIG(.url = fresh.url));
        if (st == DBM_OK && (d = dbm_get(m, NULL)) != NULL) st = dbm_ping(d);
        if (heap.failed == before) OK(st);
    }
    assert_true(n > 10);
    for (n = 1, before = -1; heap.failed != before; n++) {
        dbm_status rc = DBM_OK;
        before = heap.failed;
        test_heap_fail(&heap, n);
        DBM_SESSION_OPT(m, NULL, s, .status = &rc) {
            dbm_mongo_drop(s, "heap");
            dbm_mongo_insert_many(s, "heap", texts, 2);
            DBM_EACH_DOC(s, doc, "heap", "{\"_id\": {\"$gte\": ?}}", 1) (void)dbm_doc_int(doc, "_id");
            dbm_mongo_update(s, "heap", "{\"_id\": ?}", "{\"$set\": {\"a\": ?}}", 1, "x");
        }
        if (heap.failed == before) OK(rc);
        else if (rc != DBM_OK) IS(rc, DBM_E_NOMEM);
    }
    assert_true(n > 4);
    test_heap_fail(&heap, 0);
    dbm_manager_free(m);
    assert_int_equal(test_heap_live(&heap), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#if defined(TEST_AWAITED) /* the rest has no sessions, or is of threads, of forks, of memory, of more than one manager */
        cmocka_unit_test(every_call_does_its_work), cmocka_unit_test(bson_goes_in_and_comes_out), cmocka_unit_test(types_go_round), cmocka_unit_test(json_that_is_wrong_says_where),
        cmocka_unit_test(values_are_never_read_as_json), cmocka_unit_test(duplicates_name_their_index), cmocka_unit_test(one_document_by_its_options),
        cmocka_unit_test(cursors_stream_and_are_left_early), cmocka_unit_test(without_a_transaction_each_call_stands_alone), cmocka_unit_test(native_handles_are_the_drivers),
        cmocka_unit_test(transactions_commit_and_roll_back), cmocka_unit_test(transactions_are_run_again), cmocka_unit_test(a_lost_commit_is_in_doubt),
        cmocka_unit_test(server_errors_have_their_status), cmocka_unit_test(a_killed_server_shows_in_the_status), cmocka_unit_test(a_stopped_server_does_not_hang), cmocka_unit_test(tasks_on_a_stopped_server),
        cmocka_unit_test(a_server_that_is_down_says_so_in_time), cmocka_unit_test(passwords_are_checked_and_rotate), cmocka_unit_test(a_cancelled_session_sends_no_more),
        cmocka_unit_test(rows_go_in_in_bulk), cmocka_unit_test(a_bulk_of_a_transaction_is_kept_or_undone_with_it)
    };
    static const struct CMUnitTest of_the_synchronous_side[] = {
#endif
        cmocka_unit_test(every_call_does_its_work), cmocka_unit_test(bson_goes_in_and_comes_out), cmocka_unit_test(types_go_round),
        cmocka_unit_test(json_that_is_wrong_says_where), cmocka_unit_test(values_are_never_read_as_json), cmocka_unit_test(duplicates_name_their_index), cmocka_unit_test(one_document_by_its_options),
        cmocka_unit_test(cursors_stream_and_are_left_early), cmocka_unit_test(without_a_transaction_each_call_stands_alone),
        cmocka_unit_test(native_handles_are_the_drivers), cmocka_unit_test(transactions_commit_and_roll_back), cmocka_unit_test(transactions_are_run_again),
        cmocka_unit_test(a_lost_commit_is_in_doubt), cmocka_unit_test(server_errors_have_their_status),
        cmocka_unit_test(a_server_that_stands_alone_refuses_before_the_body), cmocka_unit_test(backends_without_transactions_refuse_one), cmocka_unit_test(other_backends_answer_what_they_are),
        cmocka_unit_test(a_killed_server_shows_in_the_status), cmocka_unit_test(a_stopped_server_does_not_hang),
        cmocka_unit_test(a_server_that_is_down_says_so_in_time), cmocka_unit_test(passwords_are_checked_and_rotate),
        cmocka_unit_test(configurations_are_checked), cmocka_unit_test(threads_share_a_pool), cmocka_unit_test(a_cancelled_session_sends_no_more),
        cmocka_unit_test(rows_go_in_in_bulk), cmocka_unit_test(a_bulk_of_a_transaction_is_kept_or_undone_with_it), cmocka_unit_test(a_fork_gets_connections_of_its_own),
         cmocka_unit_test(every_allocation_may_fail)
    };
#if defined(TEST_AWAITED)
    (void)of_the_synchronous_side;
#endif
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
