/* MongoDB's calls from C++11: overloads instead of _Generic, the same macros, the same answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" { /* some versions of it do not say so themselves */
#include <cmocka.h>
}
#include "dbm_test.h"
#include "servers/test_servers.h"
#include <mongoc/mongoc.h>

static void documents_from_cpp(void **state) {
    servers_database fresh;
    dbm_manager *mgr = nullptr;
    dbm_status rc = DBM_E_SQL;
    int seen = 0;
    (void)state;
    servers_fresh(&fresh, "mongodb");
    assert_int_equal(dbm_manager_create(&mgr, nullptr), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.url = fresh.url)), DBM_OK);
    DBM_SESSION_OPT(mgr, nullptr, s, .transaction = true, .status = &rc) {
        dbm_row *row = nullptr;
        int64_t n = 0;
        bson_t b = BSON_INITIALIZER;
        dbm_mongo_insert(s, "c", "{\"_id\": ?, \"ok\": ?, \"none\": ?}", 1, true, nullptr);
        bson_append_int32(&b, "_id", 3, 2);
        dbm_mongo_insert(s, "c", "?", dbm_bson(&b));
        bson_destroy(&b);
        dbm_mongo_update(s, "c", "{\"_id\": ?}", "{\"$set\": {\"name\": ?}}", 2, "Ada");
        dbm_mongo_count(s, &n, "c", "{\"_id\": {\"$gt\": ?}}", 0);
        assert_int_equal(n, 2);
        assert_int_equal(dbm_mongo_find_one(s, &row, "c", "{\"ok\": true}"), DBM_OK);
        assert_int_equal(dbm_doc_value(row, "ok").type, DBM_TYPE_BOOL);
        assert_int_equal(dbm_doc_value(row, "none").type, DBM_TYPE_NULL);
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(mgr, nullptr, s, &rc) {
        dbm_rows *rows = nullptr;
        dbm_mongo_delete_many(s, "c", "{}");
        dbm_mongo_insert(s, "c", "{\"_id\": ?}", dbm_oid("0123456789abcdef01234567"));
        DBM_EACH_DOC(s, doc, "c", "{}", dbm_mongo_options("{\"limit\": 5}")) seen += strcmp(dbm_doc_text(doc, "_id"), "0123456789abcdef01234567") == 0;
        dbm_mongo_aggregate(s, &rows, "c", "[{\"$match\": {\"_id\": ?}}]", dbm_oid("0123456789abcdef01234567"));
        while (dbm_rows_next(rows, nullptr) == DBM_OK) seen++;
        dbm_mongo_run(s, "{\"ping\": 1}");
        dbm_mongo_drop(s, "c");
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(seen, 2);
    DBM_RETRY_OPT(mgr, nullptr, s, 3, .transaction = true) dbm_mongo_insert(s, "c", "{\"_id\": 5}");
    assert_false(dbm_session_failed(nullptr));
    assert_int_equal(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    servers_drop(&fresh);
}

int main() {
    const struct CMUnitTest tests[] = { cmocka_unit_test(documents_from_cpp) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
