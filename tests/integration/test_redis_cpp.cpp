/* Redis' calls from C++: the same macros, with what only C++ has: std::string as keys and values, exceptions out of loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" { /* some versions of it do not say so themselves */
#include <cmocka.h>
}
#include "dbm_test.h"
#include "servers/test_servers.h"

#include <stdexcept>
#include <string>

static void calls(void **state) {
    servers_database fresh;
    dbm_manager *mgr = nullptr;
    dbm_row *row = nullptr;
    dbm_rows *rows = nullptr;
    std::int64_t n = 0;
    char buffer[32];
    std::size_t size = 0;
    const std::string key = "key", value("a\0b", 3);
    (void)state;
    servers_fresh(&fresh, "redis");
    assert_int_equal(dbm_manager_create(&mgr, nullptr), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.url = fresh.url)), DBM_OK);
    dbm_database *db = dbm_get(mgr, nullptr);
    assert_int_equal(dbm_redis_set(db, key, value, 60), DBM_OK);
    assert_int_equal(dbm_redis_copy(db, buffer, sizeof buffer, &size, "key"), DBM_OK);
    assert_int_equal(size, 3);
    assert_memory_equal(buffer, "a\0b", 4);
    DBM_SESSION(mgr, nullptr, s) {
        assert_int_equal(dbm_redis_incr(s, &n, "n", 2L), DBM_OK);
        assert_int_equal(n, 2);
        assert_int_equal(dbm_redis_get(s, &row, key), DBM_OK);
        assert_int_equal(dbm_row_value(row, 0).as.text.size, 3);
        assert_int_equal(dbm_redis_hset(s, nullptr, "h", "f", 1.5, std::string("g"), true), DBM_OK);
        assert_int_equal(dbm_redis_hgetall(s, &rows, "h"), DBM_OK);
        dbm_rows_end(rows);
        assert_int_equal(dbm_redis_command(s, "SET %s:%d %b", key, 7, "xyz", sizeof "xy" - 1), DBM_OK);
        assert_int_equal(dbm_redis_query_one(s, &row, "GET key:7"), DBM_OK);
        assert_string_equal(dbm_row_text(row, 0), "xy");
        assert_int_equal(dbm_redis_rpush(s, nullptr, "l", 1, 2, 3), DBM_OK);
        try {
            DBM_REDIS_EACH(s, r, "LRANGE l 0 -1") {
                if (dbm_row_int(r, 0) == 2) throw std::runtime_error("out");
            }
            fail_msg("nothing was thrown");
        } catch (const std::runtime_error &) {
        }
        assert_int_equal(dbm_redis_watch(s, "n"), DBM_OK);
        assert_int_equal(dbm_redis_multi(s), DBM_OK);
        assert_int_equal(dbm_redis_incr(s, nullptr, "n", 1), DBM_OK);
        assert_int_equal(dbm_redis_exec(s, &rows), DBM_OK);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 3);
        const dbm_value words[] = { dbm_text("ECHO"), dbm_text("hello") };
        assert_int_equal(dbm_redis_queryv(s, &rows, words, 2), DBM_OK);
        assert_int_equal(dbm_redis_send(s, "ECHO %s-%d", key, 7), DBM_OK);
        assert_int_equal(dbm_redis_sendv(s, words, 2), DBM_OK);
        assert_int_equal(dbm_redis_send(s, "LRANGE l 0 -1"), DBM_OK);
        assert_int_equal(dbm_redis_receive(s, &row), DBM_OK);
        assert_string_equal(dbm_row_text(row, 0), "key-7");
        assert_int_equal(dbm_redis_receive(s, nullptr), DBM_OK);
        assert_int_equal(dbm_redis_receive_rows(s, &rows), DBM_OK);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_OK);
        assert_int_equal(dbm_redis_receive(s, &row), DBM_DONE);
    }
    assert_false(dbm_session_failed(nullptr));
    dbm_manager_free(mgr);
    servers_drop(&fresh);
}

int main() {
    const struct CMUnitTest tests[] = { cmocka_unit_test(calls) };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
