/* Redis against a real server, and against one that answers what a test wants: every call, what sessions promise without transactions, connections that
 * die at any byte, deadlines, cancels, MULTI and WATCH, and what a reply costs. */
/* alone: redis (it ends the connections of all who subscribe) */
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "listener.h"
#include "proxy.h"
#if defined(TEST_AWAITED) /* test_async_redis.c */
#  include "integration/awaited.h"
#  undef dbm_redis_command
#  undef dbm_redis_query_one
#  define AWAITED_REDIS(on, row, want, out, ...) __extension__({ \
        dbm_session *on_ = DBM__ON(on); \
        awaited a_ = { 0 }; \
        on_->step == DBM__ON_DATABASE || dbm__work_of(on_) == NULL ? DBM__REDIS(on, DBM__REDIS_FORMAT | want, out, __VA_ARGS__) \
            : awaited_wait(&a_, dbm_async_redis_command_cb(on_, row, awaited_fn, &a_, __VA_ARGS__)); })
#  define dbm_redis_command(on, ...) AWAITED_REDIS(on, NULL, DBM__REDIS_WANT_NOTHING, NULL, __VA_ARGS__)
#  define dbm_redis_query_one(on, row, ...) AWAITED_REDIS(on, row, DBM__REDIS_WANT_ROW, dbm__redis_to_row(row), __VA_ARGS__)
#endif

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

static int64_t now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
static void pause_ms(int ms) {
    struct timespec t;
    t.tv_sec = ms / 1000;
    t.tv_nsec = (long)(ms % 1000) * 1000000;
    (void)nanosleep(&t, NULL);
}

static test_log log_lines;
static volatile sig_atomic_t pipes;
static void on_pipe(int number) {
    (void)number;
    pipes = pipes + 1;
}

/* ---- a database of its own ------------------------------------------------------------------------------------------------ */

typedef struct base { servers_database fresh; dbm_manager *mgr; dbm_database *db; test_heap heap; } base;

static void open_config(base *b, const dbm_config *config) {
    dbm_options options;
    memset(&options, 0, sizeof options);
    memset(&b->heap, 0, sizeof b->heap);
    options.allocator = test_heap_allocator(&b->heap);
    options.log = test_log_hook;
    options.log_ud = &log_lines;
    test_log_clear(&log_lines);
    assert_int_equal(dbm_manager_create(&b->mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(b->mgr, config), DBM_OK);
    b->db = dbm_get(b->mgr, NULL);
    assert_non_null(b->db);
#if defined(TEST_AWAITED)
    awaited_open(b->mgr);
#endif
}
static void close_manager(base *b) {
#if defined(TEST_AWAITED)
    awaited_close();
#endif
    assert_int_equal(dbm_close_all(b->mgr), DBM_OK);
    (void)dbm_manager_free(b->mgr);
    assert_int_equal(test_heap_live(&b->heap), 0);
    assert_int_equal(pipes, 0);
}

static int set_up(void **state) {
    base *b = (base *)calloc(1, sizeof *b);
    servers_fresh(&b->fresh, "redis");
    open_config(b, DBM_CONFIG(.url = b->fresh.url));
    *state = b;
    return 0;
}
static int tear_down(void **state) {
    base *b = (base *)*state;
    close_manager(b);
    servers_drop(&b->fresh);
    free(b);
    return 0;
}

#define OK(call) do { \
        if ((call) != DBM_OK) fail_msg("%s:%d: %s", __FILE__, __LINE__, dbm_last_error()->message); \
    } while (0)
#define FAILS(call, wanted, text) do { \
        assert_int_equal((call), (wanted)); \
        if (strstr(dbm_last_error()->message, text) == NULL) fail_msg("%s:%d: %s", __FILE__, __LINE__, dbm_last_error()->message); \
    } while (0)

static int64_t number_of(dbm_database *db, const char *key) {
    int64_t n;
    dbm_row *row = NULL;
    OK(dbm_redis_get(db, &row, key));
    n = dbm_row_int(row, 0);
    dbm_row_end(row);
    return n;
}

/* By the server's own client, so that it is another connection. */
static void by_client(base *b, const char *command) {
    char out[256], line[256];
    (void)snprintf(line, sizeof line, "%s\n", command);
    servers_sql(&b->fresh, line, out, sizeof out);
}

/* ---- the calls ---------------------------------------------------------------------------------------------------------------- */

static void keys(void **state) {
    base *b = (base *)*state;
    dbm_row *row = NULL;
    dbm_rows *rows = NULL;
    int64_t n = -7;
    char small_buffer[4], buffer[16];
    size_t size = 0;
    OK(dbm_redis_set(b->db, "key", "value", 60));
    OK(dbm_redis_ttl(b->db, &n, "key"));
    assert_in_range(n, 58, 60);
    OK(dbm_redis_get(b->db, &row, "key"));
    assert_string_equal(dbm_row_text(row, 0), "value");
    assert_int_equal(dbm_row_columns(row), 1);
    assert_string_equal(dbm_row_name(row, 0), "value");
    dbm_row_end(row);
    OK(dbm_redis_copy(b->db, buffer, sizeof buffer, &size, "key"));
    assert_string_equal(buffer, "value");
    assert_int_equal(size, 5);
    FAILS(dbm_redis_copy(b->db, small_buffer, sizeof small_buffer, &size, "key"), DBM_E_RANGE, "5 bytes and the buffer 4");
    assert_string_equal(small_buffer, "");
    assert_int_equal(size, 5);
    FAILS(dbm_redis_copy(b->db, buffer, sizeof buffer, NULL, "none"), DBM_E_NOT_FOUND, "no such key");
    OK(dbm_redis_set(b->db, "key", 42, 0));
    OK(dbm_redis_ttl(b->db, &n, "key"));
    assert_int_equal(n, -1);
    assert_int_equal(number_of(b->db, "key"), 42);
    FAILS(dbm_redis_set(b->db, "key", 1, -1), DBM_E_RANGE, "seconds to live");
    FAILS(dbm_redis_set(b->db, "key", (const char *)NULL, 0), DBM_E_MISUSE, "argument 2 of the command is NULL");
    FAILS(dbm_redis_get(b->db, &row, "none"), DBM_E_NOT_FOUND, "no such key");
    assert_null(row);
    OK(dbm_redis_expire(b->db, "key", 100));
    assert_int_equal(dbm_redis_expire(b->db, "none", 100), DBM_E_NOT_FOUND);
    assert_int_equal(dbm_redis_ttl(b->db, &n, "none"), DBM_E_NOT_FOUND);
    OK(dbm_redis_incr(b->db, &n, "key", 8));
    assert_int_equal(n, 50);
    OK(dbm_redis_decr(b->db, &n, "key", INT64_C(5000000000)));
    assert_int_equal(n, 50 - INT64_C(5000000000));
    OK(dbm_redis_incr(b->db, NULL, "key", 1));
    OK(dbm_redis_mset(b->db, "a", 1, "b", "two", "c", 2.5));
    OK(dbm_redis_exists(b->db, &n, "a", "b", "c", "d"));
    assert_int_equal(n, 3);
    OK(dbm_redis_mget(b->db, &rows, "a", "d", "c"));
    OK(dbm_rows_next(rows, &row));
    assert_int_equal(dbm_row_int(row, 0), 1);
    OK(dbm_rows_next(rows, &row));
    assert_true(dbm_row_is_null(row, 0));
    OK(dbm_rows_next(rows, &row));
    assert_true(dbm_row_double(row, 0) == 2.5);
    assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
    dbm_rows_end(rows);
    OK(dbm_redis_del(b->db, &n, "a", "b", "d"));
    assert_int_equal(n, 2);
    OK(dbm_redis_del(b->db, NULL, "c"));
    FAILS(dbm_redis_get(b->db, NULL, "key"), DBM_E_MISUSE, "pointer for the row is NULL");
}

static void collections(void **state) {
    base *b = (base *)*state;
    dbm_row *row = NULL;
    dbm_rows *rows = NULL;
    int64_t n = 0;
    int seen = 0;
    DBM_SESSION(b->mgr, NULL, s) {
        OK(dbm_redis_hset(s, &n, "h", "name", "Ada", "age", 36));
        assert_int_equal(n, 2);
        OK(dbm_redis_hget(s, &row, "h", "age"));
        assert_int_equal(dbm_row_int(row, 0), 36);
        FAILS(dbm_redis_hget(s, &row, "h", "none"), DBM_E_NOT_FOUND, "no such key or field");
        OK(dbm_redis_hgetall(s, &rows, "h"));
        assert_int_equal(dbm_rows_columns(rows), 2);
        assert_string_equal(dbm_rows_name(rows, 0), "field");
        assert_string_equal(dbm_rows_name(rows, 1), "value");
        while (dbm_rows_next(rows, &row) == DBM_OK) {
            seen++;
            assert_string_equal(dbm_row_text(row, 1), strcmp(dbm_row_text(row, 0), "name") == 0 ? "Ada" : "36");
        }
        assert_int_equal(seen, 2);
        dbm_rows_end(rows);
        OK(dbm_redis_rpush(s, &n, "l", 1, 2, 3));
        assert_int_equal(n, 3);
        OK(dbm_redis_lpush(s, &n, "l", 0));
        assert_int_equal(n, 4);
        OK(dbm_redis_lrange(s, &rows, "l", 0, -1));
        for (seen = 0; dbm_rows_next(rows, &row) == DBM_OK; seen++) assert_int_equal(dbm_row_int(row, 0), seen);
        assert_int_equal(seen, 4);
        dbm_rows_end(rows);
        OK(dbm_redis_sadd(s, &n, "s", "x", "y", "x"));
        assert_int_equal(n, 2);
        OK(dbm_redis_smembers(s, &rows, "s"));
        for (seen = 0; dbm_rows_next(rows, &row) == DBM_OK; seen++) assert_int_equal(strlen(dbm_row_text(row, 0)), 1);
        assert_int_equal(seen, 2);
        dbm_rows_end(rows);
        OK(dbm_redis_zadd(s, &n, "z", 2.5, "b", 1, "a"));
        OK(dbm_redis_zrange(s, &rows, "z", 0, -1));
        assert_string_equal(dbm_rows_name(rows, 0), "member");
        OK(dbm_rows_next(rows, &row));
        assert_string_equal(dbm_row_text(row, 0), "a");
        assert_int_equal(dbm_row_int(row, 1), 1);
        OK(dbm_rows_next(rows, &row));
        assert_true(dbm_row_double(row, 1) == 2.5);
        dbm_rows_end(rows);
        OK(dbm_redis_publish(s, &n, "channel", "message"));
        assert_int_equal(n, 0);
        OK(dbm_redis_eval(s, &rows, "return {KEYS[1], ARGV[1], 7}", 1, "k", "v"));
        OK(dbm_rows_next(rows, &row));
        assert_string_equal(dbm_row_text(row, 0), "k");
        OK(dbm_rows_next(rows, &row));
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_value(row, 0).type, DBM_TYPE_INT);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        OK(dbm_redis_lrange(s, &rows, "empty", 0, -1));
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        OK(dbm_redis_query(s, &rows, "SCAN 0"));
        OK(dbm_rows_next(rows, &row));
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_value(row, 0).type, DBM_TYPE_JSON);
        assert_int_equal(dbm_row_text(row, 0)[0], '[');
    }
    assert_false(dbm_session_failed(NULL));
}

static void any_bytes(void **state) {
    base *b = (base *)*state;
    static const char nul[] = "a\0b\0", key[] = "k\0\xff", smile[] = "\xF0\x9F\x98\x80 \xE2\x82\xAC";
    const size_t large = 10u << 20;
    unsigned char *bytes = (unsigned char *)malloc(large);
    size_t i, size = 0;
    dbm_row *row = NULL;
    dbm_rows *rows = NULL;
    dbm_value v;
    assert_non_null(bytes);
    for (i = 0; i < large; i++) bytes[i] = (unsigned char)(i * 2654435761u >> 24);
    DBM_SESSION(b->mgr, NULL, s) {
        OK(dbm_redis_set(s, dbm_blob(key, sizeof key), dbm_blob(nul, sizeof nul - 1), 0));
        OK(dbm_redis_get(s, &row, dbm_blob(key, sizeof key)));
        v = dbm_row_value(row, 0);
        assert_int_equal(v.type, DBM_TYPE_BLOB);
        assert_int_equal(v.as.text.size, 4);
        assert_memory_equal(v.as.text.data, nul, 4);
        assert_int_equal(dbm_redis_get(s, &row, "k"), DBM_E_NOT_FOUND);
        OK(dbm_redis_set(s, smile, smile, 0));
        OK(dbm_redis_get(s, &row, smile));
        assert_int_equal(dbm_row_value(row, 0).type, DBM_TYPE_TEXT);
        assert_string_equal(dbm_row_text(row, 0), smile);
        OK(dbm_redis_set(s, "", "", 0));
        OK(dbm_redis_get(s, &row, ""));
        assert_string_equal(dbm_row_text(row, 0), "");
        assert_false(dbm_row_is_null(row, 0));
        OK(dbm_redis_set(s, "large", dbm_blob(bytes, large), 0));
        OK(dbm_redis_get(s, &row, "large"));
        assert_memory_equal(dbm_row_blob(row, 0, &size), bytes, large);
        assert_int_equal(size, large);
        OK(dbm_redis_rpush(s, NULL, "list", dbm_blob("\xff\xfe", 2), "plain \"\\\n\x01", smile, dbm_blob("a\0", 2)));
        OK(dbm_redis_query(s, &rows, "EVAL %s 1 list", "return {redis.call('lrange', KEYS[1], 0, -1), 1}"));
        OK(dbm_rows_next(rows, &row));
        assert_string_equal(dbm_row_text(row, 0), "[{\"base64\":\"//4=\"},\"plain \\\"\\\\\\u000a\\u0001\",\"\xF0\x9F\x98\x80 \xE2\x82\xAC\",\"a\\u0000\"]");
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_int(row, 0), 1);
        dbm_rows_end(rows);
    }
    assert_false(dbm_session_failed(NULL));
    free(bytes);
}

static void formats(void **state) {
    base *b = (base *)*state;
    dbm_row *row = NULL;
    dbm_value words[100];
    char tail[600];
    int64_t n = 0;
    int i;
    memset(tail, 'x', sizeof tail - 1);
    tail[sizeof tail - 1] = '\0';
    OK(dbm_redis_command(b->db, "SET user:%s:%d %s", "a b", 7, "x y\r\nSET z z"));
    OK(dbm_redis_query_one(b->db, &row, "GET %s", "user:a b:7"));
    assert_string_equal(dbm_row_text(row, 0), "x y\r\nSET z z");
    dbm_row_end(row);
    OK(dbm_redis_exists(b->db, &n, "z"));
    assert_int_equal(n, 0);
    OK(dbm_redis_command(b->db, "  SET\t%b   %b  ", "kkk", (size_t)2, dbm_blob("\0\1", 2)));
    OK(dbm_redis_query_one(b->db, &row, "STRLEN kk"));
    assert_int_equal(dbm_row_int(row, 0), 2);
    dbm_row_end(row);
    OK(dbm_redis_command(b->db, "SET p%%%l-%f 1", INT64_C(-9000000000), 0.5));
    assert_int_equal(number_of(b->db, "p%-9000000000-0.5"), 1);
    OK(dbm_redis_command(b->db, "SET %s%s%s 2", tail, tail, tail));
    OK(dbm_redis_command(b->db, "INCRBY n %d", 3u));
    assert_int_equal(number_of(b->db, "n"), 3);
    FAILS(dbm_redis_command(b->db, "SET %s %s", "k"), DBM_E_MISUSE, "more placeholders than the call has values (1)");
    FAILS(dbm_redis_command(b->db, "SET %s v", "k", 1), DBM_E_MISUSE, "takes 1 value and the call passes 2");
    FAILS(dbm_redis_command(b->db, "SET k %s", 5), DBM_E_MISUSE, "value 1 is for %s, which takes a text; it is an integer");
    FAILS(dbm_redis_command(b->db, "SET k %d", "5"), DBM_E_MISUSE, "value 1 is for %d, which takes an integer; it is a text");
    FAILS(dbm_redis_command(b->db, "SET k %s", (const char *)NULL), DBM_E_MISUSE, "it is NULL");
    FAILS(dbm_redis_command(b->db, "SET k %x", 5), DBM_E_MISUSE, "the format has a % before 'x'");
    FAILS(dbm_redis_command(b->db, "SET k v%"), DBM_E_MISUSE, "% before 'its end'");
    FAILS(dbm_redis_command(b->db, "SET k %b", "data"), DBM_E_MISUSE, "no size behind it");
    FAILS(dbm_redis_command(b->db, "SET k 'a b'"), DBM_E_MISUSE, "begins with a quote");
    FAILS(dbm_redis_command(b->db, "  "), DBM_E_MISUSE, "the command is empty");
    words[0] = dbm_text("RPUSH");
    words[1] = dbm_text("many");
    for (i = 2; i < 100; i++) words[i] = dbm_int(i);
    OK(dbm_redis_commandv(b->db, words, 100));
    OK(dbm_redis_query_one(b->db, &row, "LLEN many"));
    assert_int_equal(dbm_row_int(row, 0), 98);
    dbm_row_end(row);
    i = 0;
    DBM_SESSION(b->mgr, NULL, s) {
        DBM_REDIS_EACH(s, r, "LRANGE many 0 -1") {
            DBM_REDIS_EACH(s, inner, "LRANGE many %d 0", 0) assert_int_equal(dbm_row_int(inner, 0), 2);
            assert_int_equal(dbm_row_int(r, 0), 2 + i);
            if (++i == 50) break;
        }
        OK(dbm_redis_command(s, "PING"));
    }
    assert_int_equal(i, 50);
}

static void refusals(void **state) {
    base *b = (base *)*state;
    dbm_row *row = NULL;
    base lite;
    memset(&lite, 0, sizeof lite);
    OK(dbm_redis_lpush(b->db, NULL, "l", 1));
    FAILS(dbm_redis_get(b->db, &row, "l"), DBM_E_SQL, "WRONGTYPE");
    FAILS(dbm_redis_command(b->db, "NOSUCHCOMMAND %s", "hunter2"), DBM_E_SQL, "unknown command");
    assert_null(strstr(dbm_last_error()->message, "hunter2"));
    FAILS(dbm_exec(b->db, "SELECT 1"), DBM_E_UNSUPPORTED, "dbm_redis_command");
    FAILS(dbm_query_one(b->db, &row, "SELECT 1"), DBM_E_UNSUPPORTED, "dbm_redis_command");
    FAILS(dbm_redis_command(b->db, "SUBSCRIBE c"), DBM_E_UNSUPPORTED, "can't be sent through a session");
    FAILS(dbm_redis_command(b->db, "monitor"), DBM_E_UNSUPPORTED, "can't be sent through a session");
    FAILS(dbm_redis_command(b->db, "CLIENT REPLY OFF"), DBM_E_UNSUPPORTED, "can't be sent through a session");
    FAILS(dbm_redis_command(b->db, "HELLO 3"), DBM_E_UNSUPPORTED, "can't be sent through a session");
    DBM_SESSION(b->mgr, NULL, s) {
        assert_null(dbm_native(s, "redis"));
    }
    assert_true(dbm_session_failed(NULL));
    assert_int_not_equal(dbm_redis_command((dbm_database *)NULL, "PING"), DBM_OK);
    open_config(&lite, DBM_CONFIG(.url = "sqlite:///:memory:"));
    FAILS(dbm_redis_set(lite.db, "k", "v", 0), DBM_E_UNSUPPORTED, "of type 'sqlite'");
    FAILS(dbm_redis_command(lite.db, "PING"), DBM_E_UNSUPPORTED, "of type 'sqlite'");
    close_manager(&lite);
}

/* ---- sessions ------------------------------------------------------------------------------------------------------------------- */

static dbm_status left_by_return(base *b, dbm_status *rc, bool fail) {
    DBM_SESSION_RC(b->mgr, NULL, s, rc) {
        dbm_redis_incr(s, NULL, "table", 1);
        if (fail) dbm_redis_incr(s, NULL, "text", 1);
        dbm_redis_incr(s, NULL, "table", 1);
        return DBM_OK;
    }
    return DBM_E_MISUSE;
}

/* The column "without a transaction" of the table of ways to leave a session. */
static void without_a_transaction(void **state) {
    base *b = (base *)*state;
    dbm_status rc = DBM_E_LEAKED;
    OK(dbm_redis_mset(b->db, "table", 0, "text", "x"));
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        assert_int_equal(rc, DBM_ROLLED_BACK);
        OK(dbm_redis_incr(s, NULL, "table", 1));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number_of(b->db, "table"), 1);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* its end, after a failure: the first one, and what came before it stands */
        OK(dbm_redis_incr(s, NULL, "table", 1));
        FAILS(dbm_redis_incr(s, NULL, "text", 1), DBM_E_SQL, "not an integer");
        FAILS(dbm_redis_incr(s, NULL, "table", 1), DBM_E_SQL, "not an integer");
        FAILS(dbm_redis_command(s, "SET %s", 1), DBM_E_SQL, "not an integer");
        assert_int_equal(dbm_status_of(s), DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    assert_int_equal(number_of(b->db, "table"), 2);
    OK(left_by_return(b, &rc, false));
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number_of(b->db, "table"), 4);
    OK(left_by_return(b, &rc, true));
    assert_int_equal(rc, DBM_E_SQL);
    assert_int_equal(number_of(b->db, "table"), 5);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        OK(dbm_redis_incr(s, NULL, "table", 1));
        OK(dbm_rollback(s));
        OK(dbm_redis_incr(s, NULL, "table", 1));
        OK(dbm_commit(s));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number_of(b->db, "table"), 7);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        assert_int_equal(dbm_redis_incr(s, NULL, "text", 1), DBM_E_SQL);
        OK(dbm_clear_error(s));
        OK(dbm_redis_incr(s, NULL, "table", 1));
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        DBM_SESSION(b->mgr, NULL, inner) OK(dbm_redis_incr(inner, NULL, "table", 1));
        OK(dbm_redis_incr(b->db, NULL, "table", 1)); /* joins the block */
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number_of(b->db, "table"), 10);
    DBM_SESSION_OPT(b->mgr, NULL, s, .read_only = 1, .status = &rc) {
        dbm_row *row = NULL;
        OK(dbm_redis_get(s, &row, "table"));
        FAILS(dbm_redis_set(s, "table", 0, 0), DBM_E_READ_ONLY, "read_only");
    }
    assert_int_equal(rc, DBM_E_READ_ONLY);
    DBM_SESSION(b->mgr, NULL, s) DBM_SAVEPOINT(s) fail_msg("there are no savepoints");
    assert_true(dbm_session_failed(NULL));
    {
        dbm_stats_info stats;
        dbm_stats(b->db, &stats);
        assert_int_equal(stats.connects, 1);
        assert_int_equal(stats.out, 0);
    }
}

static void what_a_session_leaves(void **state) {
    base *b = (base *)*state;
    dbm_stats_info stats;
    dbm_row *row = NULL;
    OK(dbm_redis_set(b->db, "here", 1, 0));
    DBM_SESSION(b->mgr, NULL, s) {
        OK(dbm_redis_command(s, "SELECT 0"));
        OK(dbm_redis_exists(s, NULL, "here"));
    }
    assert_int_equal(number_of(b->db, "here"), 1); /* the database is the configured one again */
    DBM_SESSION(b->mgr, NULL, s) {
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, NULL, "here", 1));
        OK(dbm_redis_command(s, "SELECT 0"));
    }
    assert_int_equal(number_of(b->db, "here"), 1); /* discarded */
    DBM_SESSION(b->mgr, NULL, s) OK(dbm_redis_watch(s, "here"));
    OK(dbm_redis_set(b->db, "here", 2, 0));
    DBM_SESSION(b->mgr, NULL, s) {
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, NULL, "here", 1));
        OK(dbm_redis_exec(s, NULL)); /* it is not watched any more */
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(number_of(b->db, "here"), 3);
    dbm_stats(b->db, &stats);
    assert_int_equal(stats.connects, 1);
    DBM_SESSION(b->mgr, NULL, s) OK(dbm_redis_command(s, "CLIENT SETNAME left"));
    OK(dbm_redis_query_one(b->db, &row, "CLIENT GETNAME"));
    assert_true(dbm_row_is_null(row, 0) || dbm_row_text(row, 0)[0] == '\0');
    dbm_row_end(row);
    dbm_stats(b->db, &stats);
    assert_int_equal(stats.connects, 2);
}

static void transactions(void **state) {
    base *b = (base *)*state;
    dbm_rows *rows = NULL;
    dbm_row *row = NULL;
    dbm_status rc = DBM_OK;
    int64_t n = 5;
    int attempts = 0;
    OK(dbm_redis_mset(b->db, "n", 10, "text", "x"));
    DBM_SESSION(b->mgr, NULL, s) {
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, &n, "n", 1));
        assert_int_equal(n, 0);
        OK(dbm_redis_hset(s, NULL, "h", "f", "v"));
        OK(dbm_redis_hgetall(s, &rows, "h"));
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        dbm_rows_end(rows);
        OK(dbm_redis_exec(s, &rows));
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_int(row, 0), 11);
        OK(dbm_rows_next(rows, &row));
        OK(dbm_rows_next(rows, &row));
        assert_string_equal(dbm_row_text(row, 0), "[\"f\",\"v\"]");
        dbm_rows_end(rows);
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, NULL, "n", 1));
        OK(dbm_redis_discard(s));
    }
    assert_int_equal(number_of(b->db, "n"), 11);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        OK(dbm_redis_multi(s));
        FAILS(dbm_redis_get(s, &row, "n"), DBM_E_MISUSE, "in the queue of a transaction");
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    DBM_SESSION(b->mgr, NULL, s) { /* one that fails as it runs: the others are done */
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, NULL, "n", 1));
        OK(dbm_redis_incr(s, NULL, "text", 1));
        FAILS(dbm_redis_exec(s, NULL), DBM_E_SQL, "command 2 of the transaction failed, and the others are done: ERR");
    }
    assert_int_equal(number_of(b->db, "n"), 12);
    DBM_SESSION(b->mgr, NULL, s) { /* one that is refused */
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, NULL, "n", 1));
        assert_int_equal(dbm_redis_command(s, "NOSUCHCOMMAND"), DBM_E_SQL);
        OK(dbm_clear_error(s));
        FAILS(dbm_redis_exec(s, NULL), DBM_E_ROLLED_BACK, "EXECABORT");
    }
    assert_int_equal(number_of(b->db, "n"), 12);
    DBM_RETRY(b->mgr, NULL, s, 5) { /* somebody else is faster, twice */
        attempts++;
        OK(dbm_redis_watch(s, "n"));
        OK(dbm_redis_get(s, &row, "n"));
        n = dbm_row_int(row, 0);
        if (attempts <= 2) by_client(b, "INCRBY n 100");
        OK(dbm_redis_multi(s));
        OK(dbm_redis_set(s, "n", n + 1, 0));
        if (attempts <= 2) FAILS(dbm_redis_exec(s, &rows), DBM_E_SERIALIZATION, "a watched key was changed");
        else OK(dbm_redis_exec(s, NULL));
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(attempts, 3);
    assert_int_equal(number_of(b->db, "n"), 213);
    DBM_SESSION_OPT(b->mgr, NULL, s, .read_only = 1, .status = &rc) {
        OK(dbm_redis_multi(s));
        OK(dbm_redis_exists(s, NULL, "n"));
        OK(dbm_redis_exec(s, NULL));
    }
    assert_int_equal(rc, DBM_OK);
    {
        dbm_stats_info stats;
        dbm_stats(b->db, &stats);
        assert_int_equal(stats.connects, 1);
    }
}

/* ---- connections that die ------------------------------------------------------------------------------------------------------ */

static int64_t client_id(dbm_session *s) {
    dbm_row *row = NULL;
    OK(dbm_redis_query_one(s, &row, "CLIENT ID"));
    return dbm_row_int(row, 0);
}
static void kill_client(base *b, int64_t id) {
    char command[64];
    (void)snprintf(command, sizeof command, "CLIENT KILL ID %ld", (long)id);
    by_client(b, command);
}

static void killed_connections(void **state) {
    base *b = (base *)*state;
    dbm_status rc = DBM_OK;
    dbm_row *row = NULL;
    int64_t id = 0;
    OK(dbm_redis_set(b->db, "n", 1, 0));
    DBM_SESSION(b->mgr, NULL, s) id = client_id(s);
    kill_client(b, id); /* idle: found by a look at the socket */
    pause_ms(5);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) OK(dbm_redis_incr(s, NULL, "n", 1));
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* under a command that reads: sent once more */
        kill_client(b, client_id(s));
        OK(dbm_redis_get(s, &row, "n"));
        assert_int_equal(dbm_row_int(row, 0), 2);
        OK(dbm_redis_incr(s, NULL, "n", 1));
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* under one that writes */
        kill_client(b, client_id(s));
        FAILS(dbm_redis_incr(s, NULL, "n", 1), DBM_E_IN_DOUBT, "may be done or not");
        assert_false(dbm_last_error()->retryable);
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    assert_int_equal(number_of(b->db, "n"), 3);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* one that watches must not go on elsewhere */
        OK(dbm_redis_watch(s, "n"));
        kill_client(b, client_id(s));
        FAILS(dbm_redis_get(s, &row, "n"), DBM_E_LOST, "closed the connection");
        assert_true(dbm_last_error()->retryable);
    }
    assert_int_equal(rc, DBM_E_LOST);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* what was only queued is not in doubt */
        id = client_id(s);
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, NULL, "n", 1));
        kill_client(b, id);
        FAILS(dbm_redis_incr(s, NULL, "n", 1), DBM_E_LOST, "closed the connection");
    }
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* but an EXEC is, if it writes */
        id = client_id(s);
        OK(dbm_redis_multi(s));
        OK(dbm_redis_incr(s, NULL, "n", 1));
        kill_client(b, id);
        FAILS(dbm_redis_exec(s, NULL), DBM_E_IN_DOUBT, "may be done or not");
    }
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* and is not, if it reads */
        id = client_id(s);
        OK(dbm_redis_multi(s));
        OK(dbm_redis_exists(s, NULL, "n"));
        kill_client(b, id);
        assert_int_equal(dbm_redis_exec(s, NULL), DBM_E_LOST);
    }
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* a database that the session chose is its own */
        OK(dbm_redis_command(s, "SELECT 0"));
        kill_client(b, client_id(s));
        assert_int_equal(dbm_redis_exists(s, NULL, "n"), DBM_E_LOST);
    }
    {
        int attempts = 0;
        DBM_RETRY(b->mgr, NULL, s, 3) {
            OK(dbm_redis_watch(s, "n"));
            if (++attempts == 1) kill_client(b, client_id(s));
            dbm_redis_multi(s);
            dbm_redis_incr(s, NULL, "n", 1);
            dbm_redis_exec(s, NULL);
        }
        assert_int_equal(attempts, 2);
        assert_int_equal(number_of(b->db, "n"), 4);
    }
    assert_int_equal(pipes, 0);
}

static void deadlines(void **state) {
    base *b = (base *)*state;
    dbm_status rc = DBM_OK;
    dbm_stats_info stats;
    int64_t began = now_ms();
    DBM_SESSION_OPT(b->mgr, NULL, s, .timeout_ms = 150, .status = &rc) {
        FAILS(dbm_redis_command(s, "BLPOP none 0"), DBM_E_IN_DOUBT, "the deadline passed"); /* it might have taken something away */
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    assert_in_range(now_ms() - began, 140, 600);
    began = now_ms();
    DBM_SESSION_OPT(b->mgr, NULL, s, .timeout_ms = 150, .status = &rc) {
        FAILS(dbm_redis_command(s, "XREAD BLOCK 0 STREAMS none $"), DBM_E_TIMEOUT, "the deadline passed");
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_in_range(now_ms() - began, 140, 600);
    OK(dbm_redis_set(b->db, "after", 1, 0));
    assert_int_equal(number_of(b->db, "after"), 1);
    dbm_stats(b->db, &stats);
    assert_int_equal(stats.connects, 3);
    assert_int_equal(stats.open, 1);
}

typedef struct canceller { dbm_session session; int after_ms; } canceller;
static void *cancel_later(void *ud) {
    canceller *c = (canceller *)ud;
    pause_ms(c->after_ms);
    (void)dbm_cancel(&c->session);
    return NULL;
}

static void cancels(void **state) {
    base *b = (base *)*state;
    int round;
    for (round = 0; round < 2; round++) {
        int64_t began = now_ms();
        canceller c;
        pthread_t thread;
        dbm_status rc = DBM_OK;
        DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
            c.session = *s;
            c.after_ms = 100;
            assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
            if (round == 0) FAILS(dbm_redis_command(s, "XREAD BLOCK 0 STREAMS none $"), DBM_E_CANCELLED, "cancelled");
            else FAILS(dbm_redis_command(s, "BLPOP none 0"), DBM_E_IN_DOUBT, "cancelled");
        }
        (void)pthread_join(thread, NULL);
        assert_int_equal(rc, round == 0 ? DBM_E_CANCELLED : DBM_E_IN_DOUBT);
        assert_in_range(now_ms() - began, 90, 500);
    }
    for (round = 0; round < 200; round++) { /* at any moment, of commands that are quick */
        canceller c;
        pthread_t thread;
        DBM_SESSION(b->mgr, NULL, s) {
            int i;
            c.session = *s;
            c.after_ms = 0;
            assert_int_equal(pthread_create(&thread, NULL, cancel_later, &c), 0);
            for (i = 0; i < 20; i++) {
                dbm_row *row = NULL;
                dbm_status st = dbm_redis_query_one(s, &row, "ECHO %d", i);
                if (st == DBM_OK) assert_int_equal(dbm_row_int(row, 0), i);
                else assert_int_equal(st, DBM_E_CANCELLED);
            }
        }
        (void)dbm_session_failed(NULL);
        (void)pthread_join(thread, NULL);
        OK(dbm_redis_set(b->db, "round", round, 0)); /* nobody else's connection is hit */
    }
}

static void stopped_server(void **state) {
    servers_own own;
    base b;
    int64_t began;
    dbm_row *row = NULL;
    (void)state;
    memset(&b, 0, sizeof b);
    servers_start(&own, "redis", NULL);
    open_config(&b, DBM_CONFIG(.url = servers_own_url(&own, "redis"), .statement_timeout_ms = 200, .connect_timeout_ms = 300, .pool.timeout_ms = 600));
    OK(dbm_redis_set(b.db, "k", "v", 0));
    servers_signal(&own, SIGSTOP);
    began = now_ms();
    FAILS(dbm_redis_get(b.db, &row, "k"), DBM_E_TIMEOUT, "the deadline passed");
    assert_in_range(now_ms() - began, 150, 1200);
    began = now_ms();
    assert_int_not_equal(dbm_redis_get(b.db, &row, "k"), DBM_OK); /* the kernel still takes connections; nobody greets */
    assert_in_range(now_ms() - began, 0, 1500);
    servers_signal(&own, SIGCONT);
    pause_ms(600);
    OK(dbm_redis_get(b.db, &row, "k"));
    dbm_row_end(row);
    servers_signal(&own, SIGKILL);
    assert_int_equal(dbm_redis_get(b.db, &row, "k"), DBM_E_CONNECT);
    assert_non_null(strstr(dbm_last_error()->message, "connection refused"));
    close_manager(&b);
    servers_remove(&own);
}

/* ---- opening ----------------------------------------------------------------------------------------------------------------------- */

/* The status of opening, and of the first PING. */
static dbm_status opens(const dbm_config *config) {
    base b;
    dbm_status st;
    dbm_error_info kept;
    memset(&b, 0, sizeof b);
    dbm_options options;
    memset(&options, 0, sizeof options);
    options.log = test_log_hook;
    options.log_ud = &log_lines;
    options.allocator = test_heap_allocator(&b.heap);
    test_log_clear(&log_lines);
    assert_int_equal(dbm_manager_create(&b.mgr, &options), DBM_OK);
    st = dbm_add_database(b.mgr, config);
    if (st == DBM_OK) st = dbm_init_all(b.mgr);
    kept = *dbm_last_error();
    assert_null(strstr(test_log_text(&log_lines), "s3cret"));
    assert_null(strstr(test_log_text(&log_lines), "hunter2"));
    assert_null(strstr(kept.message, "s3cret"));
    assert_null(strstr(kept.message, "hunter2"));
    (void)dbm_manager_free(b.mgr);
    assert_int_equal(test_heap_live(&b.heap), 0);
    dbm__self()->last = kept;
    return st;
}

/* The URL of the server with other parts: redis://USER@127.0.0.1:PORT/REST. */
static const char *url_of(const char *user, const char *rest) {
    static char texts[4][300];
    static unsigned next;
    char *text = texts[next++ % 4];
    (void)snprintf(text, sizeof texts[0], "redis://%s127.0.0.1:%s%s", user, servers_variable("DBM_TEST_REDIS_PORT"), rest);
    return text;
}

static void opening(void **state) {
    char user[200], list[300];
    const char *good = servers_url("redis"), *password;
    (void)state;
    OK(opens(DBM_CONFIG(.url = good)));
    OK(opens(DBM_CONFIG(.url = servers_url("redis_socket"))));
    /* a password alone is the nameless user's */
    password = strchr(good + 8, ':');
    (void)snprintf(user, sizeof user, "%.*s@", (int)(strcspn(password, "@")), password);
    OK(opens(DBM_CONFIG(.url = url_of(user, "/3?client_name=cache"))));
    FAILS(opens(DBM_CONFIG(.url = url_of(user, "/5000"))), DBM_E_UNKNOWN_NAME, "DB index is out of range");
    FAILS(opens(DBM_CONFIG(.url = url_of("dbm:hunter2@", "/0"))), DBM_E_AUTH, "WRONGPASS");
    FAILS(opens(DBM_CONFIG(.url = url_of(":hunter2@", "/0"))), DBM_E_AUTH, "WRONGPASS");
    FAILS(opens(DBM_CONFIG(.url = url_of("", "/0"))), DBM_E_AUTH, "NOAUTH");
    FAILS(opens(DBM_CONFIG(.url = url_of("dbm@", "/0"))), DBM_E_CONFIG, "a user and no password");
    FAILS(opens(DBM_CONFIG(.url = "redis://127.0.0.1:1/0", .connect_timeout_ms = 300)), DBM_E_CONNECT, "127.0.0.1:1: connection refused");
    FAILS(opens(DBM_CONFIG(.url = "redis://nosuchhost.invalid/0", .connect_timeout_ms = 2000)), DBM_E_CONNECT, "nosuchhost.invalid:6379: ");
    FAILS(opens(DBM_CONFIG(.url = "unix:///nowhere/redis.sock")), DBM_E_CONNECT, "/nowhere/redis.sock: there is no such socket");
    (void)snprintf(list, sizeof list, "redis://%s127.0.0.1:1,[::1]:1,127.0.0.1:%s/0", user, servers_variable("DBM_TEST_REDIS_PORT"));
    OK(opens(DBM_CONFIG(.url = list)));
    FAILS(opens(DBM_CONFIG(.url = "redis://h/none")), DBM_E_CONFIG, "'none' is no number");
    FAILS(opens(DBM_CONFIG(.url = "redis://h/1?db=2")), DBM_E_CONFIG, "say it once");
    FAILS(opens(DBM_CONFIG(.url = "redis://h/1?timeout=2")), DBM_E_CONFIG, "parameter 'timeout' is unknown");
    FAILS(opens(DBM_CONFIG(.url = "unix://h/redis.sock")), DBM_E_CONFIG, "has no host");
    FAILS(opens(DBM_CONFIG(.url = "redis://h", .init_sql = "SELECT 1")), DBM_E_CONFIG, "init_sql");
    FAILS(opens(DBM_CONFIG(.url = "redis://h", .isolation = DBM_SERIALIZABLE)), DBM_E_CONFIG, "isolation_level");
    FAILS(opens(DBM_CONFIG(.url = "redis://h?client_name=a%20b")), DBM_E_CONFIG, "without blanks");
    FAILS(opens(DBM_CONFIG(.url = "rediss://h", .tls = DBM_TLS_OFF)), DBM_E_CONFIG, "rediss:// asks for it");
#if !DBM_HAS_REDIS_TLS
    FAILS(opens(DBM_CONFIG(.url = "rediss://h")), DBM_E_CONFIG, "this hiredis has no TLS");
    FAILS(opens(DBM_CONFIG(.url = "redis://h", .tls = DBM_TLS_REQUIRE)), DBM_E_CONFIG, "this hiredis has no TLS");
#endif
}

static void a_user_with_few_rights(void **state) {
    base *b = (base *)*state, few;
    char user[64];
    dbm_row *row = NULL;
    OK(dbm_redis_command(b->db, "ACL SETUSER reader on >few ~* +get +select +auth"));
    memset(&few, 0, sizeof few);
    (void)snprintf(user, sizeof user, "reader:few@");
    open_config(&few, DBM_CONFIG(.url = url_of(user, "/1")));
    assert_int_equal(dbm_redis_get(few.db, &row, "none"), DBM_E_NOT_FOUND); /* PING is forbidden, which is no reason not to connect */
    FAILS(dbm_redis_set(few.db, "k", "v", 0), DBM_E_AUTH, "NOPERM");
    close_manager(&few);
    OK(dbm_redis_command(b->db, "ACL DELUSER reader"));
}

/* ---- pipelines ------------------------------------------------------------------------------------------------------------------- */

#define RECEIVES(s, wanted) do { \
        dbm_row *got = NULL; \
        OK(dbm_redis_receive(s, &got)); \
        assert_non_null(got); \
        assert_string_equal(dbm_row_text(got, 0), wanted); \
    } while (0)

static void in_order(void **state) {
    base *b = (base *)*state;
    dbm_status rc = DBM_OK;
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        dbm_row *row = NULL;
        dbm_rows *rows = NULL;
        const dbm_value words[] = { dbm_text("ECHO"), dbm_blob("a\0b", 3) };
        int i;
        assert_int_equal(dbm_redis_receive(s, &row), DBM_DONE); /* nothing was sent */
        assert_null(row);
        OK(dbm_redis_send(s, "SET k%d %s", 1, "one"));
        OK(dbm_redis_send(s, "GET k1"));
        OK(dbm_redis_send(s, "GET nothing"));
        OK(dbm_redis_sendv(s, words, 2));
        OK(dbm_redis_send(s, "RPUSH l 1 2 3"));
        OK(dbm_redis_send(s, "LRANGE l 0 -1"));
        OK(dbm_redis_send(s, "LRANGE l 7 8"));
        OK(dbm_redis_send(s, "HSET h f v"));
        OK(dbm_redis_send(s, "HGETALL h"));
        RECEIVES(s, "OK");
        RECEIVES(s, "one");
        OK(dbm_redis_receive(s, &row));
        assert_true(dbm_row_is_null(row, 0));
        OK(dbm_redis_receive(s, &row));
        assert_int_equal(dbm_row_value(row, 0).as.text.size, 3);
        OK(dbm_redis_receive(s, &row));
        assert_int_equal(dbm_row_int(row, 0), 3);
        OK(dbm_redis_receive_rows(s, &rows));
        for (i = 1; dbm_rows_next(rows, &row) == DBM_OK; i++) assert_int_equal(dbm_row_int(row, 0), i);
        assert_int_equal(i, 4);
        OK(dbm_redis_receive(s, &row));
        assert_null(row); /* an empty array */
        OK(dbm_redis_receive(s, NULL));
        OK(dbm_redis_receive_rows(s, &rows));
        OK(dbm_rows_next(rows, &row));
        assert_string_equal(dbm_row_text(row, 1), "v");
        assert_string_equal(dbm_rows_name(rows, 0), "field");
        dbm_rows_end(rows);
        assert_int_equal(dbm_redis_receive_rows(s, &rows), DBM_DONE);
        assert_null(rows);
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* others in between keep the order, and rows in hand stay */
        dbm_row *row = NULL;
        OK(dbm_redis_send(s, "INCR a"));
        OK(dbm_redis_send(s, "INCR a"));
        OK(dbm_redis_get(s, &row, "a"));
        assert_int_equal(dbm_row_int(row, 0), 2);
        OK(dbm_redis_send(s, "INCR a"));
        OK(dbm_redis_receive(s, &row));
        assert_int_equal(dbm_row_int(row, 0), 1);
        DBM_REDIS_EACH(s, r, "LRANGE l 0 -1") {
            OK(dbm_redis_send(s, "ECHO %d", (int)dbm_row_int(r, 0)));
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_int(row, 0), dbm_row_int(r, 0) + 1); /* one behind: 2, 3, then the first ECHO */
            if (dbm_row_int(r, 0) == 2) break;
        }
        OK(dbm_redis_receive(s, &row));
        assert_int_equal(dbm_row_int(row, 0), 1);
        RECEIVES(s, "2");
        assert_int_equal(dbm_redis_receive(s, &row), DBM_DONE);
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* a text of the row in hand may be sent, though the row ends with that */
        enum { LARGE = 100000 };
        char *large = (char *)malloc(LARGE + 1);
        dbm_row *row = NULL;
        dbm_value words[] = { dbm_text("ECHO"), dbm_null() };
        memset(large, 'x', LARGE);
        large[LARGE] = 0;
        words[1] = dbm_textn(large, LARGE);
        OK(dbm_redis_sendv(s, words, 2));
        OK(dbm_redis_receive(s, &row));
        words[1] = dbm_row_value(row, 0);
        OK(dbm_redis_sendv(s, words, 2));
        OK(dbm_redis_receive(s, &row));
        OK(dbm_redis_send(s, "ECHO %s", dbm_row_text(row, 0)));
        OK(dbm_redis_receive(s, &row));
        assert_string_equal(dbm_row_text(row, 0), large);
        free(large);
    }
    assert_int_equal(rc, DBM_OK);
    FAILS(dbm_redis_send(b->db, "PING"), DBM_E_MISUSE, "belong to a session");
    FAILS(dbm_redis_receive(b->db, NULL), DBM_E_MISUSE, "belong to a session");
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        OK(dbm_redis_send(b->db, "PING")); /* the block's */
        RECEIVES(s, "PONG");
        OK(dbm_redis_send(s, "SET last 1"));
    } /* its end waits */
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number_of(b->db, "last"), 1);
}

static void refused_in_order(void **state) {
    base *b = (base *)*state;
    dbm_status rc = DBM_OK;
    dbm_row *row = NULL;
    dbm_error_info e;
    char site[64], many[20001] = "";
    int line = 0, way;
    OK(dbm_redis_set(b->db, "text", "x", 0));
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        OK(dbm_redis_send(s, "INCR n"));
        OK(dbm_redis_send(s, "INCR text")); line = __LINE__;
        OK(dbm_redis_send(s, "INCR n"));
        RECEIVES(s, "1");
        FAILS(dbm_redis_receive(s, &row), DBM_E_SQL, "not an integer");
        (void)snprintf(site, sizeof site, "test_redis.c:%d", line);
        assert_non_null(strstr(dbm_last_error()->site, site)); /* where it was sent */
        FAILS(dbm_redis_receive(s, &row), DBM_E_SQL, "not an integer"); /* it sticks */
        FAILS(dbm_redis_send(s, "INCR n"), DBM_E_SQL, "not an integer");
        OK(dbm_clear_error(s));
        RECEIVES(s, "2");
        assert_int_equal(dbm_redis_receive(s, &row), DBM_DONE);
    }
    assert_int_equal(rc, DBM_OK);
    for (way = 0; way < 3; way++) { /* never received: of the end of the session, of dbm_commit; what is behind it is done all the same */
        DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
            OK(dbm_redis_send(s, "INCR n"));
            OK(dbm_redis_send(s, "INCR text")); line = __LINE__;
            OK(dbm_redis_send(s, "LPUSH n 1"));
            OK(dbm_redis_send(s, "INCR n"));
            if (way == 1) FAILS(dbm_commit(s), DBM_E_SQL, "not an integer");
            if (way == 2) break;
        }
        assert_int_equal(rc, DBM_E_SQL);
        (void)snprintf(site, sizeof site, "test_redis.c:%d", line);
        assert_true(dbm_session_failed(&e));
        if (strstr(e.site, site) == NULL || strstr(e.message, "not an integer") == NULL) fail_msg("%s: %s", e.site, e.message);
        assert_int_equal(number_of(b->db, "n"), 4 + 2 * way);
    }
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* what can be said before it is sent is said at once, and leaves the rest as it is */
        OK(dbm_redis_send(s, "ECHO 1"));
        FAILS(dbm_redis_send(s, "SUBSCRIBE c"), DBM_E_UNSUPPORTED, "SUBSCRIBE");
        OK(dbm_clear_error(s));
        FAILS(dbm_redis_sendv(s, (&(const dbm_value){ .type = DBM_TYPE_INT }), 1), DBM_E_MISUSE, "begins with its name");
        OK(dbm_clear_error(s));
        {
            const dbm_value words[] = { dbm_text("ECHO"), dbm_null() };
            FAILS(dbm_redis_sendv(s, words, 2), DBM_E_MISUSE, "NULL");
        }
        OK(dbm_clear_error(s));
        OK(dbm_redis_send(s, "ECHO 2"));
        RECEIVES(s, "1");
        RECEIVES(s, "2");
        memset(many, 'm', sizeof many - 1);
        OK(dbm_redis_send(s, "ECHO %s", many)); /* there is no room for one more */
        FAILS(dbm_redis_send(s, "SUBSCRIBE c"), DBM_E_UNSUPPORTED, "SUBSCRIBE");
        OK(dbm_clear_error(s));
        RECEIVES(s, many);
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_OPT(b->mgr, NULL, s, .read_only = 1, .status = &rc) {
        OK(dbm_redis_send(s, "GET n"));
        FAILS(dbm_redis_send(s, "SET n 1"), DBM_E_READ_ONLY, "read_only");
    }
    assert_int_equal(rc, DBM_E_READ_ONLY);
}

static void transactions_in_order(void **state) {
    base *b = (base *)*state;
    dbm_status rc = DBM_OK;
    dbm_row *row = NULL;
    dbm_rows *rows = NULL;
    int64_t id = 0;
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        id = client_id(s);
        OK(dbm_redis_send(s, "WATCH n"));
        OK(dbm_redis_send(s, "MULTI"));
        OK(dbm_redis_send(s, "INCR n"));
        OK(dbm_redis_send(s, "INCR n"));
        OK(dbm_redis_exec(s, &rows)); /* waits, and is in its place */
        OK(dbm_rows_next(rows, &row));
        assert_int_equal(dbm_row_int(row, 0), 1);
        RECEIVES(s, "OK");
        RECEIVES(s, "OK");
        OK(dbm_redis_receive(s, &row));
        assert_null(row); /* it was only queued */
        OK(dbm_redis_receive(s, NULL));
        assert_int_equal(dbm_redis_receive(s, NULL), DBM_DONE);
        OK(dbm_redis_send(s, "MULTI"));
        OK(dbm_redis_send(s, "SET n 0"));
    } /* never run */
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        assert_int_equal(client_id(s), id); /* the connection is as good as before, and in no transaction */
        OK(dbm_redis_get(s, &row, "n"));
        assert_int_equal(dbm_row_int(row, 0), 2);
        OK(dbm_redis_send(s, "MULTI"));
        OK(dbm_redis_send(s, "INCR n"));
        OK(dbm_redis_send(s, "LPUSH n 1"));
        OK(dbm_redis_send(s, "EXEC"));
        RECEIVES(s, "OK");
        OK(dbm_redis_receive(s, NULL));
        OK(dbm_redis_receive(s, NULL));
        FAILS(dbm_redis_receive(s, NULL), DBM_E_SQL, "command 2 of the transaction failed");
    }
    assert_int_equal(rc, DBM_E_SQL);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* a watched key */
        OK(dbm_redis_send(s, "WATCH n"));
        RECEIVES(s, "OK");
        by_client(b, "INCR n");
        OK(dbm_redis_send(s, "MULTI"));
        OK(dbm_redis_send(s, "SET n 0"));
        OK(dbm_redis_send(s, "EXEC"));
    }
    assert_int_equal(rc, DBM_E_SERIALIZATION);
    assert_int_equal(number_of(b->db, "n"), 4);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* a database that is chosen by it is undone */
        OK(dbm_redis_send(s, "SELECT 0"));
        OK(dbm_redis_send(s, "PING"));
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        assert_int_equal(client_id(s), id);
        assert_int_equal(dbm_redis_exists(s, NULL, "n"), DBM_OK);
    }
    assert_int_equal(number_of(b->db, "n"), 4);
}

static void lost_in_order(void **state) {
    base *b = (base *)*state;
    dbm_status rc = DBM_OK;
    int way;
    for (way = 0; way < 7; way++) {
        dbm_status wanted = way == 0 || way == 4 ? DBM_E_LOST : DBM_E_IN_DOUBT;
        DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
            int64_t id = client_id(s);
            if (way == 3 || way == 4) { /* answered, so that it is not in doubt; the next one may be */
                OK(dbm_redis_send(s, "INCR n"));
                OK(dbm_redis_command(s, "PING"));
            }
            OK(dbm_redis_send(s, way == 0 || way == 4 ? "GET n" : "INCR n"));
            kill_client(b, id);
            if (way < 2) FAILS(dbm_redis_receive(s, NULL), wanted, "closed the connection");
            else if (way == 2) FAILS(dbm_redis_exists(s, NULL, "n"), wanted, "closed the connection");
            else if (way < 5) {
                OK(dbm_redis_receive(s, NULL)); /* it has come */
                FAILS(dbm_redis_receive(s, NULL), wanted, "closed the connection");
            } else if (way == 5) FAILS(dbm_commit(s), wanted, "closed the connection");
        }
        assert_int_equal(rc, wanted);
    }
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* an EXEC behind what is unanswered */
        int64_t id = client_id(s);
        OK(dbm_redis_send(s, "MULTI"));
        OK(dbm_redis_command(s, "INCR n"));
        OK(dbm_redis_send(s, "PING"));
        kill_client(b, id);
        assert_int_equal(dbm_redis_exec(s, NULL), DBM_E_IN_DOUBT);
    }
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* when all is received, one that reads is sent once more as ever */
        int64_t id = client_id(s);
        OK(dbm_redis_send(s, "INCR n"));
        OK(dbm_redis_receive(s, NULL));
        kill_client(b, id);
        OK(dbm_redis_exists(s, NULL, "n"));
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_OPT(b->mgr, NULL, s, .timeout_ms = 100, .status = &rc) {
        OK(dbm_redis_send(s, "XREAD BLOCK 0 STREAMS none $"));
        FAILS(dbm_redis_receive(s, NULL), DBM_E_TIMEOUT, "deadline");
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
}

/* Both sides have more to say than the sockets hold. */
static void more_than_the_sockets_hold(void **state) {
    base *b = (base *)*state;
    size_t large = 3 << 20, size = 0, i;
    char *bytes = (char *)malloc(large);
    dbm_status rc = DBM_OK;
    dbm_row *row = NULL;
    int64_t began = now_ms();
    int n, received = 0;
    assert_non_null(bytes);
    for (i = 0; i < large; i++) bytes[i] = (char)('a' + i % 26);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* nobody receives meanwhile: 45 MB each way */
        for (n = 0; n < 15; n++) OK(dbm_redis_send(s, "ECHO %b", dbm_blob(bytes, large)));
        for (n = 0; n < 15; n++) {
            OK(dbm_redis_receive(s, &row));
            assert_memory_equal(dbm_row_blob(row, 0, &size), bytes, large);
            assert_int_equal(size, large);
        }
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* many that are somewhat large, received a thousand behind */
        for (n = 0; n < 4000; n++) {
            OK(dbm_redis_send(s, "ECHO %b", dbm_blob(bytes + n % 26, 20000)));
            if (n < 1000) continue;
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_text(row, 0)[0], 'a' + received++ % 26);
        }
        OK(dbm_redis_command(s, "PING"));
        for (; received < 4000; received++) {
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_text(row, 0)[0], 'a' + received % 26);
            assert_int_equal(dbm_row_value(row, 0).as.text.size, 20000);
        }
        assert_int_equal(dbm_redis_receive(s, &row), DBM_DONE);
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* arrays that come in pieces */
        dbm_rows *rows = NULL;
        OK(dbm_redis_command(s, "EVAL %s 1 list", "for i = 1, 20000 do redis.call('RPUSH', KEYS[1], i) end"));
        for (n = 0; n < 20; n++) OK(dbm_redis_send(s, "LRANGE list 0 -1"));
        for (n = 0; n < 20; n++) {
            int64_t sum = 0;
            OK(dbm_redis_receive_rows(s, &rows));
            while (dbm_rows_next(rows, &row) == DBM_OK) sum += dbm_row_int(row, 0);
            assert_int_equal(sum, 200010000);
        }
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) { /* 100,000, and nobody ever looks */
        for (n = 0; n < 100000; n++) OK(dbm_redis_send(s, "INCRBY total %d", n));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number_of(b->db, "total"), INT64_C(4999950000));
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        for (n = 0; n < 100000; n++) OK(dbm_redis_send(s, "ECHO %d", n));
        for (n = 0; n < 100000; n++) {
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_int(row, 0), n);
        }
    }
    assert_int_equal(rc, DBM_OK);
    if (now_ms() - began > 60000) fail_msg("it took %ld ms", (long)(now_ms() - began));
    free(bytes);
}

static void too_much_to_put_aside(void **state) {
    base *b = (base *)*state;
    base other;
    char *bytes = (char *)calloc(1, 100000);
    dbm_status rc = DBM_OK;
    dbm_row *row = NULL;
    int sent = 0, received = 0, round;
    assert_non_null(bytes);
    memset(&other, 0, sizeof other);
    open_config(&other, DBM_CONFIG(.url = b->fresh.url, .row_buffer = 1000000));
    DBM_SESSION_RC(other.mgr, NULL, s, &rc) {
        for (round = 0; round < 3; round++) {
            dbm_status st = DBM_OK;
            while (sent < 1000 && (st = dbm_redis_send(s, "ECHO %b", dbm_blob(bytes, 100000))) == DBM_OK) sent++;
            assert_int_equal(st, DBM_E_LIMIT);
            assert_non_null(strstr(dbm_last_error()->message, "dbm_redis_receive"));
            assert_in_range(sent - received, 9, 999); /* what nobody has read yet lies in the sockets, or is the server's */
            OK(dbm_clear_error(s));
            for (; received < sent - 2; received++) OK(dbm_redis_receive(s, &row));
        }
        OK(dbm_redis_command(s, "PING"));
        for (; received < sent; received++) OK(dbm_redis_receive(s, &row));
        assert_int_equal(dbm_redis_receive(s, &row), DBM_DONE);
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(other.mgr, NULL, s, &rc) { /* one reply may be larger */
        OK(dbm_redis_set(s, "k", dbm_blob(bytes, 100000), 0));
        OK(dbm_redis_send(s, "EVAL %s 0", "return string.rep('x', 3000000)"));
        OK(dbm_redis_receive(s, &row));
        assert_int_equal(dbm_row_value(row, 0).as.text.size, 3000000);
    }
    assert_int_equal(rc, DBM_OK);
    assert_true(other.heap.peak_bytes < 12000000);
    close_manager(&other);
    free(bytes);
}

/* ---- a server that says what a test wants ------------------------------------------------------------------------------------ */

typedef struct fake {
    int listener, port;
    pthread_t thread;
    pthread_mutex_t lock;
    const char *reply;        /* to each command but the greeting */
    size_t size, stop_at;     /* bytes of it that are sent before it hangs up; size: all */
    const char *greeting;     /* to PING; NULL: +PONG */
    size_t drip;              /* not 0: so many bytes at a time */
    int connections;
} fake;

static bool fake_hears(int fd, char *text, size_t size) {
    ssize_t n = recv(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static void *fake_serves(void *ud) {
    fake *f = (fake *)ud;
    for (;;) {
        char text[4096];
        int fd = accept(f->listener, NULL, NULL);
        if (fd < 0) return NULL;
        (void)pthread_mutex_lock(&f->lock);
        f->connections++;
        (void)pthread_mutex_unlock(&f->lock);
        while (fake_hears(fd, text, sizeof text)) {
            bool ping = strstr(text, "PING") != NULL, cut;
            const char *say;
            size_t size, drip, i;
            (void)pthread_mutex_lock(&f->lock);
            say = ping ? (f->greeting != NULL ? f->greeting : "+PONG\r\n") : f->reply;
            size = ping ? strlen(say) : f->stop_at;
            cut = !ping && f->stop_at < f->size;
            drip = f->drip;
            (void)pthread_mutex_unlock(&f->lock);
            if (ping || drip == 0) (void)send(fd, say, size, MSG_NOSIGNAL);
            else for (i = 0; i < size; i += drip) {
                (void)send(fd, say + i, drip < size - i ? drip : size - i, MSG_NOSIGNAL);
                pause_ms(1);
            }
            if (cut) break;
        }
        (void)close(fd);
    }
}

static void fake_start(fake *f) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(f->listener >= 0);
    assert_int_equal(bind(f->listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(f->listener, 16), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&address, &size), 0);
    f->port = ntohs(address.sin_port);
    assert_int_equal(pthread_mutex_init(&f->lock, NULL), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, fake_serves, f), 0);
}
static void fake_stop(fake *f) {
    (void)shutdown(f->listener, SHUT_RDWR);
    (void)close(f->listener);
    (void)pthread_join(f->thread, NULL);
    (void)pthread_mutex_destroy(&f->lock);
}
static void fake_says(fake *f, const char *reply, size_t stop_at) {
    (void)pthread_mutex_lock(&f->lock);
    f->reply = reply;
    f->size = strlen(reply);
    f->stop_at = stop_at < f->size ? stop_at : f->size;
    (void)pthread_mutex_unlock(&f->lock);
}
static void fake_drips(fake *f, size_t drip) {
    (void)pthread_mutex_lock(&f->lock);
    f->drip = drip;
    (void)pthread_mutex_unlock(&f->lock);
}
static void fake_greets(fake *f, const char *greeting) {
    (void)pthread_mutex_lock(&f->lock);
    f->greeting = greeting;
    (void)pthread_mutex_unlock(&f->lock);
}
static int fake_connections(fake *f) {
    int n;
    (void)pthread_mutex_lock(&f->lock);
    n = f->connections;
    (void)pthread_mutex_unlock(&f->lock);
    return n;
}
static void open_fake(base *b, fake *f) {
    char url[64];
    (void)snprintf(url, sizeof url, "redis://127.0.0.1:%d", f->port);
    memset(b, 0, sizeof *b);
    open_config(b, DBM_CONFIG(.url = url, .statement_timeout_ms = 1000));
}

static const char *const whole_replies[] = {
    "+OK\r\n", ":12345678901\r\n", "$5\r\nab\r\nc\r\n", "$-1\r\n", "*-1\r\n", "$0\r\n\r\n", "*3\r\n$1\r\na\r\n:2\r\n*2\r\n$-1\r\n$2\r\nzz\r\n", "*0\r\n"
};

/* ---- listening ---- */

static void listens(void **state) {
    base *b = (base *)*state;
    char channel[40], other[40], pattern[40], name[60];
    dbm_value names[2];
    listener l;
    int64_t before = now_ms();
    int i;
    (void)snprintf(channel, sizeof channel, "news:%ld", (long)getpid()); /* channels are the whole server's */
    (void)snprintf(other, sizeof other, "olds:%ld", (long)getpid());
    (void)snprintf(pattern, sizeof pattern, "n*:%ld:*", (long)getpid());
    (void)snprintf(name, sizeof name, "new:%ld:x", (long)getpid());
    OK(listener_open(&l, b->db));
    names[0] = dbm_text(channel);
    names[1] = dbm_text(other);
    names[0].as.text.size = strlen(channel);
    names[1].as.text.size = strlen(other);
    OK(listener_hears(&l, DBM_LISTEN_CHANNEL, names, 2));
    assert_false(listener_waits_for(&l)); /* nothing is there; and left, for the patterns */
    names[1] = dbm_textn(pattern, strlen(pattern));
    OK(listener_hears(&l, DBM_LISTEN_PATTERN, names + 1, 1));
    OK(dbm_redis_command(b->db, "PUBLISH %s %s", channel, "one"));
    OK(dbm_redis_command(b->db, "PUBLISH %s %b", channel, dbm_blob("\xff\0z", 3)));
    OK(dbm_redis_command(b->db, "PUBLISH %s %s", name, ""));
    HEARS(&l, channel, NULL, "one");
    assert_int_equal(((const dbm_notification *)l.op.native)->payload.type, DBM_TYPE_TEXT);
    OK(listener_waits(&l));
    assert_int_equal(((const dbm_notification *)l.op.native)->payload.type, DBM_TYPE_BLOB);
    assert_memory_equal(((const dbm_notification *)l.op.native)->payload.as.text.data, "\xff\0z", 3);
    HEARS(&l, name, pattern, "");
    /* what comes while something else is answered is not lost; nor what came before it was asked for */
    for (i = 0; i < 1000; i++) OK(dbm_redis_command(b->db, "PUBLISH %s %d", channel, i));
    OK(listener_pings(&l));
    names[1] = dbm_textn(other, strlen(other));
    OK(listener_hears(&l, DBM_LISTEN_CHANNEL | DBM_LISTEN_STOP, names + 1, 1));
    for (i = 0; i < 1000; i++) {
        char text[20];
        (void)snprintf(text, sizeof text, "%d", i);
        HEARS(&l, channel, NULL, text);
    }
    OK(dbm_redis_command(b->db, "PUBLISH %s gone", other));
    OK(dbm_redis_command(b->db, "PUBLISH %s last", channel));
    HEARS(&l, channel, NULL, "last");
    OK(listener_hears(&l, DBM_LISTEN_CHANNEL | DBM_LISTEN_STOP, names, 1));
    names[1] = dbm_textn(pattern, strlen(pattern));
    OK(listener_hears(&l, DBM_LISTEN_PATTERN | DBM_LISTEN_STOP, names + 1, 1));
    OK(listener_pings(&l)); /* which is answered as on any other connection by now */
    OK(listener_hears(&l, DBM_LISTEN_SHARD, names, 1));
    OK(dbm_redis_command(b->db, "SPUBLISH %s shard", channel));
    HEARS(&l, channel, NULL, "shard");
    assert_true(now_ms() - before < 5000);
    /* lost: NOTIFIED says so */
    OK(dbm_redis_command(b->db, "CLIENT KILL TYPE pubsub"));
    assert_int_equal(listener_waits(&l), DBM_E_LOST);
    assert_true(l.c.broken);
    listener_close(&l);
}

static void no_isolation(void **state) {
    base *b = (base *)*state;
    dbm_error_info e;
    DBM_SESSION_OPT(b->mgr, NULL, s, .isolation = DBM_SERIALIZABLE) fail_msg("the body ran");
    assert_true(dbm_session_failed(&e));
    assert_int_equal(e.status, DBM_E_UNSUPPORTED);
    assert_non_null(strstr(e.message, "leave .isolation out"));
    DBM_SESSION_OPT(b->mgr, NULL, s, .isolation = DBM_AUTOCOMMIT) OK(dbm_redis_command(s, "PING"));
    assert_false(dbm_session_failed(&e));
}

static void a_listener_without_rights(void **state) {
    base *b = (base *)*state, other;
    char url[200];
    const dbm_value name = dbm_textn("secret", 6);
    listener l;
    memset(&other, 0, sizeof other);
    OK(dbm_redis_command(b->db, "ACL SETUSER deaf%d on >pw ~* +@all resetchannels", (int)getpid()));
    (void)snprintf(url, sizeof url, "redis://deaf%d:pw@127.0.0.1:%s/0", (int)getpid(), getenv("DBM_TEST_REDIS_PORT"));
    open_config(&other, DBM_CONFIG(.url = url));
    OK(listener_open(&l, other.db));
    FAILS(listener_hears(&l, DBM_LISTEN_CHANNEL, &name, 1), DBM_E_AUTH, "NOPERM");
    OK(listener_pings(&l));
    listener_close(&l);
    close_manager(&other);
    OK(dbm_redis_command(b->db, "ACL DELUSER deaf%d", (int)getpid()));
}

static void cut_at_every_byte(void **state) {
    base b;
    fake f;
    size_t i, cut;
    (void)state;
    memset(&f, 0, sizeof f);
    fake_start(&f);
    open_fake(&b, &f);
    fake_says(&f, "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", strlen("+OK\r\n+QUEUED\r\n*1\r\n")); /* what was queued is answered, and its EXEC is not */
    DBM_SESSION(b.mgr, NULL, s) {
        OK(dbm_redis_send(s, "MULTI"));
        OK(dbm_redis_send(s, "SET k v"));
        OK(dbm_redis_send(s, "EXEC"));
        OK(dbm_redis_receive(s, NULL));
        OK(dbm_redis_receive(s, NULL));
        assert_int_equal(dbm_redis_receive(s, NULL), DBM_E_IN_DOUBT);
    }
    assert_true(dbm_session_failed(NULL));
    for (i = 0; i < sizeof whole_replies / sizeof whole_replies[0]; i++) {
        for (cut = 0; cut <= strlen(whole_replies[i]); cut++) {
            bool whole = cut == strlen(whole_replies[i]);
            dbm_status st;
            dbm_rows *rows = NULL;
            dbm_row *row = NULL;
            int before;
            fake_says(&f, whole_replies[i], cut);
            st = dbm_redis_command(b.db, "SET k v");
            assert_int_equal(st, whole ? DBM_OK : DBM_E_IN_DOUBT);
            before = fake_connections(&f);
            st = dbm_redis_query(b.db, &rows, "GET k");
            assert_int_equal(st, whole ? DBM_OK : DBM_E_LOST);
            if (!whole) assert_int_equal(fake_connections(&f) - before, 2); /* its own, and one more try */
            while (st == DBM_OK && (st = dbm_rows_next(rows, &row)) == DBM_OK) (void)dbm_row_text(row, 0);
            dbm_rows_end(rows);
        }
        fake_drips(&f, 1);
        fake_says(&f, whole_replies[i], SIZE_MAX);
        OK(dbm_redis_command(b.db, "SET k v"));
        fake_drips(&f, 0);
        for (cut = 0; cut <= strlen(whole_replies[i]); cut++) { /* in a pipeline; the fake answers once for what it reads at once */
            bool whole = cut == strlen(whole_replies[i]);
            dbm_status rc = DBM_OK;
            fake_says(&f, whole_replies[i], cut);
            DBM_SESSION_RC(b.mgr, NULL, s, &rc) {
                OK(dbm_redis_send(s, "SET k v"));
                assert_int_equal(dbm_redis_receive(s, NULL), whole ? DBM_OK : DBM_E_IN_DOUBT);
            }
            assert_int_equal(rc, whole ? DBM_OK : DBM_E_IN_DOUBT);
        }
        fake_drips(&f, 1);
        DBM_SESSION(b.mgr, NULL, s) {
            OK(dbm_redis_send(s, "SET k v"));
            OK(dbm_redis_receive(s, NULL));
        }
        assert_false(dbm_session_failed(NULL));
        fake_drips(&f, 0);
    }
    close_manager(&b);
    fake_stop(&f);
}

/* A server that reads nothing more until it has written its reply to what it has read: two that wait for each other would wait for ever. Commands and
 * replies are as long as the test says. */
typedef struct parrot { fake f; size_t command, reply; } parrot;
static void *parrot_serves(void *ud) {
    parrot *p = (parrot *)ud;
    char *said = (char *)malloc(p->reply), block[8192];
    int fd = accept(p->f.listener, NULL, NULL);
    size_t got = 0;
    int head = snprintf(said, p->reply, "$%zu\r\n", p->reply - 11);
    assert_int_equal(head, 9);
    memset(said + head, 'r', p->reply - 11);
    memcpy(said + p->reply - 2, "\r\n", 2);
    if (fake_hears(fd, block, sizeof block)) (void)send(fd, "+PONG\r\n", 7, MSG_NOSIGNAL);
    for (;;) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        if (n <= 0) break;
        for (got += (size_t)n; got >= p->command; got -= p->command) {
            size_t sent = 0;
            while (sent < p->reply) {
                ssize_t m = send(fd, said + sent, p->reply - sent, MSG_NOSIGNAL);
                if (m <= 0) break;
                sent += (size_t)m;
            }
        }
    }
    (void)close(fd);
    free(said);
    return NULL;
}

static void neither_waits_for_the_other(void **state) {
    enum { SIZE = 60000, REPLY = 300000, COMMANDS = 150, KERNEL = 65536 }; /* 9 MB there, 45 MB back: more than sockets hold either way */
    base b;
    parrot p;
    char *bytes = (char *)calloc(1, SIZE), url[64];
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    dbm_status rc = DBM_OK;
    dbm_row *row = NULL;
    int n, kernel = KERNEL;
    (void)state;
    assert_non_null(bytes);
    memset(&p, 0, sizeof p);
    memset(&address, 0, sizeof address);
    p.command = 4 + 10 + 8 + SIZE + 2; /* *2, $4 ECHO, $60000, the bytes */
    p.reply = REPLY + 11;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p.f.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(p.f.listener, SOL_SOCKET, SO_RCVBUF, &kernel, sizeof kernel), 0);
    assert_int_equal(setsockopt(p.f.listener, SOL_SOCKET, SO_SNDBUF, &kernel, sizeof kernel), 0);
    assert_int_equal(bind(p.f.listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(p.f.listener, 16), 0);
    assert_int_equal(getsockname(p.f.listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&p.f.thread, NULL, parrot_serves, &p), 0);
    (void)snprintf(url, sizeof url, "redis://127.0.0.1:%d", ntohs(address.sin_port));
    memset(&b, 0, sizeof b);
    open_config(&b, DBM_CONFIG(.url = url, .statement_timeout_ms = 10000));
    DBM_SESSION_RC(b.mgr, NULL, s, &rc) {
        for (n = 0; n < COMMANDS; n++) OK(dbm_redis_send(s, "ECHO %b", dbm_blob(bytes, SIZE)));
        for (n = 0; n < COMMANDS; n++) {
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_value(row, 0).as.text.size, REPLY);
        }
    }
    assert_int_equal(rc, DBM_OK);
    close_manager(&b);
    (void)pthread_join(p.f.thread, NULL);
    (void)close(p.f.listener);
    free(bytes);
}

/* No more than 4096 commands are unanswered, and what the server has answered does not pile up there. */
static void within_a_window(void **state) {
    base b;
    fake f;
    dbm_status rc = DBM_OK, st = DBM_OK;
    int n = 0;
    (void)state;
    memset(&f, 0, sizeof f);
    fake_start(&f);
    fake_says(&f, "", SIZE_MAX); /* nothing, ever */
    open_fake(&b, &f);
    DBM_SESSION_OPT(b.mgr, NULL, s, .timeout_ms = 500, .status = &rc) {
        while (n < 10000 && (st = dbm_redis_send(s, "GET k")) == DBM_OK) n++;
        assert_int_equal(st, DBM_E_TIMEOUT);
        assert_int_equal(n, 4096);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    close_manager(&b);
    fake_stop(&f);
}

static void read_as_it_is_written(void **state) {
    base *b = (base *)*state;
    char *bytes = (char *)calloc(1, 50000);
    dbm_status rc = DBM_OK;
    long omem = -1;
    assert_non_null(bytes);
    DBM_SESSION_RC(b->mgr, NULL, s, &rc) {
        int64_t id = client_id(s);
        int n;
        for (n = 0; n < 1000; n++) {
            OK(dbm_redis_send(s, "ECHO %b", dbm_blob(bytes, 50000)));
            if (n % 10 == 9) pause_ms(2); /* the server keeps up, so that writing never has to wait */
        }
        DBM_SESSION_OPT(b->mgr, NULL, other, .separate = 1) {
            dbm_row *row = NULL;
            char mine[40];
            const char *line;
            OK(dbm_redis_query_one(other, &row, "CLIENT LIST"));
            (void)snprintf(mine, sizeof mine, "id=%ld ", (long)id);
            line = strstr(dbm_row_text(row, 0), mine);
            assert_non_null(line);
            omem = strtol(strstr(line, "omem=") + 5, NULL, 10);
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_in_range(omem, 0, 25000000); /* of 50 MB; what is under way is more than nothing */
    free(bytes);
}

/* ---- what the server says by itself ---- */

/* Between a client that speaks RESP 2 and the real server, which is told to speak RESP 3 first: so it pushes. */
typedef struct relay { int listener, port; pthread_t thread; long pushes; } relay;

static void *relay_serves(void *ud) {
    relay *y = (relay *)ud;
    char text[65536];
    struct pollfd p[2];
    ssize_t n;
    const char *hello = "HELLO 3 AUTH dbm s3cret;pw@%\r\n";
    p[0].fd = accept(y->listener, NULL, NULL);
    p[1].fd = proxy_connect(y->port, 0);
    p[0].events = p[1].events = POLLIN;
    if (p[0].fd >= 0 && p[1].fd >= 0 && proxy_send(p[1].fd, hello, strlen(hello))) {
        pause_ms(100);
        (void)recv(p[1].fd, text, sizeof text, 0); /* the server's words about itself */
        for (;;) {
            int from;
            if (poll(p, 2, 10000) <= 0) break;
            from = p[0].revents == 0;
            n = recv(p[from].fd, text, sizeof text, 0);
            if (n <= 0) break;
            if (from == 1) for (ssize_t i = 0; i < n; i++) y->pushes += text[i] == '>';
            if (!proxy_send(p[1 - from].fd, text, (size_t)n)) break;
        }
    }
    (void)close(p[0].fd);
    (void)close(p[1].fd);
    return NULL;
}

/* Invalidations of a client's tracking: before, between and behind the replies of a pipeline, and while nothing is asked. */
static void pushes(void **state) {
    enum { KEYS = 200 };
    base *b = (base *)*state, other;
    relay y;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    dbm_status rc = DBM_OK;
    char url[200];
    int i;
    memset(&y, 0, sizeof y);
    memset(&address, 0, sizeof address);
    y.port = (int)strtol(getenv("DBM_TEST_REDIS_PORT"), NULL, 10);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    y.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(y.listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(y.listener, 1), 0);
    assert_int_equal(getsockname(y.listener, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(pthread_create(&y.thread, NULL, relay_serves, &y), 0);
    (void)snprintf(url, sizeof url, "redis://dbm:s3cret%%3Bpw%%40%%25@127.0.0.1:%d/%s", ntohs(address.sin_port), strrchr(b->fresh.url, '/') + 1);
    memset(&other, 0, sizeof other);
    open_config(&other, DBM_CONFIG(.url = url, .statement_timeout_ms = 5000, .pool.size = 1, .pool.max_overflow = -1));
    DBM_SESSION_RC(other.mgr, NULL, s, &rc) {
        dbm_row *row = NULL;
        OK(dbm_redis_command(s, "CLIENT TRACKING ON BCAST"));
        for (i = 0; i < KEYS; i++) {
            OK(dbm_redis_send(s, "INCRBY push%d %d", i, i));
            OK(dbm_redis_send(s, "GET push%d", i));
            if (i % 10 == 0) OK(dbm_redis_set(b->db, "push", "of another", 0));
        }
        for (i = 0; i < KEYS; i++) {
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_int(row, 0), i);
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(strtol(dbm_row_text(row, 0), NULL, 10), i);
        }
        assert_int_equal(dbm_redis_receive(s, &row), DBM_DONE);
        OK(dbm_redis_set(b->db, "push", "once more", 0));
        pause_ms(50); /* it lies there, alone */
        OK(dbm_redis_get(s, &row, "push"));
        assert_string_equal(dbm_row_text(row, 0), "once more");
        for (i = 0; i < 3; i++) OK(dbm_redis_set(s, "push", "own", 0)); /* its own invalidation comes with the reply */
    }
    assert_int_equal(rc, DBM_OK);
    close_manager(&other);
    (void)shutdown(y.listener, SHUT_RDWR);
    (void)pthread_join(y.thread, NULL);
    (void)close(y.listener);
    assert_in_range(y.pushes, 10, 10 * KEYS); /* the server gathers some in one */
}

/* The same where a push stands before, between and behind replies, in pieces of every size. */
static void pushes_in_pieces(void **state) {
    static const char said[] = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$5\r\nab\r\nc\r\n>1\r\n+x\r\n*2\r\n:1\r\n:2\r\n>2\r\n+message\r\n+y\r\n";
    base b;
    fake f;
    int drip;
    (void)state;
    memset(&f, 0, sizeof f);
    fake_start(&f);
    open_fake(&b, &f);
    for (drip = 0; drip < 2; drip++) {
        dbm_status rc = DBM_OK;
        fake_says(&f, said, SIZE_MAX);
        fake_drips(&f, (size_t)drip);
        DBM_SESSION_RC(b.mgr, NULL, s, &rc) {
            dbm_row *row = NULL;
            OK(dbm_redis_send(s, "GET a"));
            OK(dbm_redis_send(s, "GET b")); /* both leave at once: the server hears one text */
            OK(dbm_redis_receive(s, &row));
            assert_string_equal(dbm_row_text(row, 0), "ab\r\nc");
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_int(row, 0), 1);
            fake_says(&f, ">1\r\n+y\r\n+fine\r\n", SIZE_MAX);
            OK(dbm_redis_query_one(s, &row, "GET c"));
            assert_string_equal(dbm_row_text(row, 0), "fine");
        }
        assert_int_equal(rc, DBM_OK);
    }
    close_manager(&b);
    fake_stop(&f);
}

/* Behind a reply stands half of a push, and behind a push half of an array. */
static void halves_of_pushes(void **state) {
    static const char *const said[] = {
        "$1\r\n1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n", ">2\r\n$10\r\ninvalidate\r\n+k\r\n*3\r\n:1\r\n:2\r\n:3\r\n>2\r\n+m\r\n$4\r\ntail\r\n",
        "*1\r\n:1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n>1\r\n+m\r\n"
    };
    base b;
    fake f;
    size_t i, piece;
    (void)state;
    memset(&f, 0, sizeof f);
    fake_start(&f);
    open_fake(&b, &f);
    for (i = 0; i < 6; i++) {
        for (piece = 1; piece <= strlen(said[i / 2]); piece++) {
            dbm_status rc = DBM_OK;
            fake_says(&f, said[i / 2], SIZE_MAX);
            fake_drips(&f, piece);
            DBM_SESSION_RC(b.mgr, NULL, s, &rc) {
                dbm_row *row = NULL;
                if (i % 2 == 0) {
                    OK(dbm_redis_query_one(s, &row, "GET a"));
                } else {
                    OK(dbm_redis_send(s, "GET a"));
                    OK(dbm_redis_receive(s, &row));
                }
                assert_int_equal(dbm_row_int(row, 0), 1);
                pause_ms(3);
                fake_says(&f, "+fine\r\n", SIZE_MAX);
                OK(dbm_redis_query_one(s, &row, "GET b"));
                assert_string_equal(dbm_row_text(row, 0), "fine");
            }
            assert_int_equal(rc, DBM_OK);
            assert_int_equal(fake_connections(&f), 1);
        }
    }
    close_manager(&b);
    fake_stop(&f);
}

static void garbage(void **state) {
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n", "$-7\r\nab\r\n", "*-9\r\n", "$99999999999999999999999\r\n", ":12x4\r\n", "\x01\x02\x03\x04", "$3\r\nabcd\r\n",
        "*2\r\n+a\r\n!\r\n", "*4294967297\r\n:1\r\n", "*2147483647\r\n:1\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "\r\n\r\n", "$\r\n", "*\r\n", ":\r\n", "-\r\n", "+PONG\r\n+PONG\r\n"
    };
    base b;
    fake f;
    size_t i;
    (void)state;
    memset(&f, 0, sizeof f);
    fake_start(&f);
    open_fake(&b, &f);
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t began = now_ms();
        dbm_row *row = NULL;
        dbm_status st;
        int connections;
        fake_says(&f, texts[i], SIZE_MAX);
        st = dbm_redis_query_one(b.db, &row, "GET k");
        dbm_row_end(row);
        assert_true(st == DBM_OK || st == DBM_E_LOST || st == DBM_E_TIMEOUT || st == DBM_E_SQL || st == DBM_E_NOT_FOUND);
        assert_in_range(now_ms() - began, 0, 2500);
        connections = fake_connections(&f);
        DBM_SESSION(b.mgr, NULL, s) { /* in a pipeline */
            OK(dbm_redis_send(s, "GET k"));
            st = dbm_redis_receive(s, NULL);
        }
        assert_true(st == DBM_OK || st == DBM_E_LOST || st == DBM_E_TIMEOUT || st == DBM_E_SQL);
        fake_says(&f, "+fine\r\n", SIZE_MAX);
        OK(dbm_redis_query_one(b.db, &row, "GET k")); /* never what was left over */
        assert_string_equal(dbm_row_text(row, 0), "fine");
        dbm_row_end(row);
        if (i + 1 == sizeof texts / sizeof texts[0]) assert_true(fake_connections(&f) > connections + 1); /* said too much */
    }
    close_manager(&b);
    fake_greets(&f, "SSH-2.0-OpenSSH_9.2p1\r\n");
    {
        char url[64];
        (void)snprintf(url, sizeof url, "redis://127.0.0.1:%d", f.port);
        FAILS(opens(DBM_CONFIG(.url = url, .connect_timeout_ms = 500)), DBM_E_LOST, "does not speak Redis' protocol");
        fake_greets(&f, "-LOADING Redis is loading the dataset in memory\r\n");
        FAILS(opens(DBM_CONFIG(.url = url, .connect_timeout_ms = 500)), DBM_E_CONNECT, "LOADING");
        fake_greets(&f, "-DENIED Redis is running in protected mode\r\n");
        FAILS(opens(DBM_CONFIG(.url = url, .connect_timeout_ms = 500)), DBM_E_AUTH, "DENIED");
        fake_greets(&f, "-ERR max number of clients reached\r\n");
        FAILS(opens(DBM_CONFIG(.url = url, .connect_timeout_ms = 500)), DBM_E_CONNECT, "max number of clients");
    }
    fake_stop(&f);
}

static void errors_of_servers(void **state) {
    static const struct { const char *reply; dbm_status status; bool retryable; const char *text; } cases[] = {
        { "-WRONGTYPE Operation\r\n", DBM_E_SQL, false, "WRONGTYPE Operation" },
        { "-LOADING Redis is loading\r\n", DBM_E_CONNECT, true, "LOADING" },
        { "-MASTERDOWN Link\r\n", DBM_E_CONNECT, true, "MASTERDOWN" },
        { "-CLUSTERDOWN Hash slot\r\n", DBM_E_CONNECT, true, "CLUSTERDOWN" },
        { "-BUSY Redis is busy\r\n", DBM_E_SQL, true, "BUSY" },
        { "-READONLY You can't write against a read only replica.\r\n", DBM_E_READ_ONLY, false, "READONLY" },
        { "-OOM command not allowed\r\n", DBM_E_LIMIT, false, "OOM" },
        { "-NOAUTH Authentication required.\r\n", DBM_E_AUTH, false, "NOAUTH" },
        { "-MOVED 3999 127.0.0.1:6381\r\n", DBM_E_UNSUPPORTED, false, "Redis Cluster, and the key belongs to the one at 127.0.0.1:6381" },
        { "-ASK 3999 127.0.0.1:6381\r\n", DBM_E_UNSUPPORTED, false, "Redis Cluster" },
        { "*2\r\n:1\r\n-ERR inner\r\n", DBM_E_SQL, false, "element 2 of the reply is an error: ERR inner" }
    };
    base b;
    fake f;
    size_t i;
    (void)state;
    memset(&f, 0, sizeof f);
    fake_start(&f);
    open_fake(&b, &f);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fake_says(&f, cases[i].reply, SIZE_MAX);
        FAILS(dbm_redis_set(b.db, "k", "v", 0), cases[i].status, cases[i].text);
        assert_int_equal(dbm_last_error()->retryable, cases[i].retryable);
    }
    close_manager(&b);
    fake_stop(&f);
}

/* ---- threads, forks, memory ------------------------------------------------------------------------------------------------------ */

typedef struct worker { dbm_manager *mgr; int number, failures; } worker;
static void *works(void *ud) {
    worker *w = (worker *)ud;
    int i;
    for (i = 0; i < 300; i++) {
        dbm_row *row = NULL;
        DBM_SESSION(w->mgr, NULL, s) {
            int64_t mine = (int64_t)w->number * 1000 + i;
            dbm_redis_incr(s, NULL, "all", 1);
            dbm_redis_command(s, "SET own:%d %l", w->number, mine);
            if (dbm_redis_query_one(s, &row, "GET own:%d", w->number) != DBM_OK || dbm_row_int(row, 0) != mine) w->failures++;
        }
        if (dbm_session_failed(NULL)) w->failures++;
    }
    return NULL;
}

static void many_threads(void **state) {
    base *b = (base *)*state, shared;
    worker workers[8];
    pthread_t threads[8];
    dbm_stats_info stats;
    int i;
    memset(&shared, 0, sizeof shared);
    open_config(&shared, DBM_CONFIG(.url = b->fresh.url, .pool.size = 3, .pool.max_overflow = -1));
    for (i = 0; i < 8; i++) {
        workers[i].mgr = shared.mgr;
        workers[i].number = i;
        workers[i].failures = 0;
        assert_int_equal(pthread_create(&threads[i], NULL, works, &workers[i]), 0);
    }
    for (i = 0; i < 8; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(number_of(shared.db, "all"), 2400);
    dbm_stats(shared.db, &stats);
    assert_in_range(stats.connects, 1, 3);
    close_manager(&shared);
}

static void forked(void **state) {
    base *b = (base *)*state;
    int64_t id = 0;
    DBM_SESSION(b->mgr, NULL, s) {
        pid_t child;
        int status = -1;
        OK(dbm_redis_set(s, "who", "parent", 0));
        id = client_id(s);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            dbm_row *row = NULL;
            int bad = 0;
            if (dbm_redis_get(s, &row, "who") != DBM_E_FORKED) bad |= 1;
            DBM_SESSION(b->mgr, NULL, mine) {
                if (dbm_redis_query_one(mine, &row, "CLIENT ID") != DBM_OK || dbm_row_int(row, 0) == id) bad |= 2;
                if (dbm_redis_set(mine, "who", "child", 0) != DBM_OK) bad |= 4;
            }
            if (dbm_session_failed(NULL)) bad |= 8;
            _exit(bad);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : 99, 0);
        assert_int_equal(client_id(s), id);
        {
            char who[16];
            OK(dbm_redis_copy(s, who, sizeof who, NULL, "who"));
            assert_string_equal(who, "child");
        }
    }
    assert_false(dbm_session_failed(NULL));
}

static void costs_no_memory(void **state) {
    base *b = (base *)*state;
    dbm_row *row = NULL;
    dbm_rows *rows = NULL;
    long before = 0;
    int i;
    OK(dbm_redis_rpush(b->db, NULL, "list", 1, 2, 3, "four"));
    for (i = 0; i < 200; i++) {
        if (i == 100) before = b->heap.calls;
        DBM_SESSION(b->mgr, NULL, s) {
            dbm_redis_set(s, "key", i, 60);
            dbm_redis_get(s, &row, "key");
            dbm_redis_incr(s, NULL, "n", 1);
            dbm_redis_command(s, "SET user:%d %s", i % 10, "text");
            for (int k = 0; k < 100; k++) dbm_redis_send(s, "GET user:%d", k % 10);
            for (int k = 0; k < 100; k++) OK(dbm_redis_receive(s, &row));
            for (int k = 0; k < 20; k++) dbm_redis_send(s, "INCR n");
            DBM_REDIS_EACH(s, r, "LRANGE list 0 -1") (void)dbm_row_text(r, 0);
        }
        OK(dbm_redis_get(b->db, &row, "key"));
        dbm_row_end(row);
        OK(dbm_redis_lrange(b->db, &rows, "list", 0, -1));
        dbm_rows_end(rows);
    }
    assert_int_equal(b->heap.calls - before, 0);
}

/* The n-th allocation fails, for every n: the call says so, and the next one works. */
static void without_memory(void **state) {
    base *b = (base *)*state;
    char large[3000];
    long n;
    memset(large, 'x', sizeof large);
    for (n = 1; n < 200; n++) {
        dbm_rows *rows = NULL;
        dbm_row *row = NULL;
        dbm_status st;
        base other;
        int tries;
        memset(&other, 0, sizeof other);
        open_config(&other, DBM_CONFIG(.url = b->fresh.url));
        test_heap_fail(&other.heap, n);
        st = dbm_redis_set(other.db, "k", dbm_blob(large, sizeof large), 0);
        if (st == DBM_OK) st = dbm_redis_command(other.db, "SET k%s 1", "x");
        if (st == DBM_OK) st = dbm_redis_query(other.db, &rows, "EVAL %s 0", "local t = {} for i = 1, 100 do t[i] = {i, 'x', {i}} end return t");
        while (st == DBM_OK && (st = dbm_rows_next(rows, &row)) == DBM_OK) {
            if (dbm_row_text(row, 0)[0] != '[') {
                st = dbm_last_error()->status;
                break;
            }
        }
        dbm_rows_end(rows);
        if (st == DBM_DONE) {
            dbm_status rc = DBM_OK;
            DBM_SESSION_RC(other.mgr, NULL, s, &rc) {
                int i;
                for (i = 0; i < 300; i++) dbm_redis_send(s, "ECHO %b", dbm_blob(large, sizeof large));
                dbm_redis_send(s, "EVAL %s 0", "return {1, {2}}");
                dbm_redis_command(s, "PING");
                for (i = 0; i < 301; i++) dbm_redis_receive(s, NULL);
            }
            if (rc != DBM_OK) st = rc;
        }
        assert_true(st == DBM_DONE || st == DBM_E_NOMEM);
        if (other.heap.failed == 0) {
            assert_int_equal(st, DBM_DONE);
            close_manager(&other);
            break;
        }
        test_heap_fail(&other.heap, 0);
        for (tries = 0; (st = dbm_redis_set(other.db, "k", 1, 0)) != DBM_OK && tries < 20; tries++) pause_ms(20); /* a connect that failed is not tried at once */
        OK(st);
        close_manager(&other);
    }
    assert_in_range(n, 5, 199);
}

#if DBM_HAS_REDIS_TLS
/* The server's URL by TLS, at this host. */
static const char *tls_url(const char *url, const char *host) {
    static char texts[2][300];
    static unsigned next;
    char *text = texts[next++ % 2];
    const char *at = strchr(url, '@'), *port = strrchr(url, ':');
    (void)snprintf(text, sizeof texts[0], "%.*s@%s%s", (int)(at - url), url, host, port);
    return text;
}

static void by_tls(void **state) {
    base b;
    const char *url = servers_url("redis_tls"), *ca = servers_ca("ca.pem");
    char *large = (char *)malloc(3000000);
    dbm_row *row = NULL;
    size_t size = 0;
    dbm_status rc = DBM_OK;
    (void)state;
    assert_non_null(large);
    memset(large, 'x', 3000000);
    OK(opens(DBM_CONFIG(.url = url, .tls_ca = ca)));
    OK(opens(DBM_CONFIG(.url = url, .tls = DBM_TLS_REQUIRE)));
    FAILS(opens(DBM_CONFIG(.url = url)), DBM_E_TLS, "certificate"); /* of an authority that the system does not know */
    OK(opens(DBM_CONFIG(.url = tls_url(url, "localhost"), .tls_ca = ca, .tls = DBM_TLS_VERIFY_FULL)));
    OK(opens(DBM_CONFIG(.url = url, .tls_ca = ca, .tls = DBM_TLS_VERIFY_CA)));
    OK(opens(DBM_CONFIG(.url = url, .tls_ca = ca, .tls_cert = servers_ca("client.pem"), .tls_key = servers_ca("client.key"))));
    FAILS(opens(DBM_CONFIG(.url = url, .tls_ca = "/nowhere/ca.pem")), DBM_E_TLS, "tls_ca can't be read");
    FAILS(opens(DBM_CONFIG(.url = servers_url("redis"), .tls = DBM_TLS_REQUIRE, .connect_timeout_ms = 500)), DBM_E_TIMEOUT, "no answer"); /* it waits for an end of line */
    memset(&b, 0, sizeof b);
    open_config(&b, DBM_CONFIG(.url = url, .tls_ca = ca, .statement_timeout_ms = 3000));
    DBM_SESSION_RC(b.mgr, NULL, s, &rc) {
        OK(dbm_redis_set(s, "tls:large", dbm_blob(large, 3000000), 60));
        OK(dbm_redis_get(s, &row, "tls:large"));
        assert_memory_equal(dbm_row_blob(row, 0, &size), large, 3000000);
        assert_int_equal(size, 3000000);
        OK(dbm_redis_del(s, NULL, "tls:large"));
        for (int i = 0; i < 10; i++) OK(dbm_redis_send(s, "ECHO %b", dbm_blob(large, 3000000)));
        for (int i = 0; i < 1000; i++) OK(dbm_redis_send(s, "ECHO %d", i));
        for (int i = 0; i < 10; i++) {
            OK(dbm_redis_receive(s, &row));
            assert_memory_equal(dbm_row_blob(row, 0, &size), large, 3000000);
        }
        for (int i = 0; i < 1000; i++) {
            OK(dbm_redis_receive(s, &row));
            assert_int_equal(dbm_row_int(row, 0), i);
        }
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_OPT(b.mgr, NULL, s, .timeout_ms = 150, .status = &rc) FAILS(dbm_redis_command(s, "XREAD BLOCK 0 STREAMS none $"), DBM_E_TIMEOUT, "deadline");
    DBM_SESSION_RC(b.mgr, NULL, s, &rc) { /* written to after the server has closed: no SIGPIPE */
        int64_t id = client_id(s);
        char command[64], out[64];
        servers_database everybody;
        memset(&everybody, 0, sizeof everybody);
        (void)snprintf(everybody.dir, sizeof everybody.dir, "%s", servers_variable("DBM_TEST_SERVERS"));
        (void)snprintf(everybody.kind, sizeof everybody.kind, "redis");
        (void)snprintf(everybody.name, sizeof everybody.name, "0");
        (void)snprintf(command, sizeof command, "CLIENT KILL ID %ld\n", (long)id);
        servers_sql(&everybody, command, out, sizeof out);
        pause_ms(20);
        assert_int_equal(dbm_redis_set(s, "tls", dbm_blob(large, 3000000), 1), DBM_E_IN_DOUBT);
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    close_manager(&b);
    free(large);
}

static void wrong_certificates(void **state) {
    static const struct { const char *cert, *text; dbm_status full, ca; } cases[] = {
        { "wrong", "mismatch", DBM_E_TLS, DBM_OK }, { "expired", "expired", DBM_E_TLS, DBM_E_TLS }, { "foreign", "certificate", DBM_E_TLS, DBM_E_TLS }
    };
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        servers_own own;
        const char *url;
        servers_start(&own, "redis", "--cert", cases[i].cert, NULL);
        url = servers_own_url(&own, "redis_tls");
        FAILS(opens(DBM_CONFIG(.url = url, .tls_ca = servers_ca("ca.pem"))), cases[i].full, cases[i].text);
        assert_int_equal(opens(DBM_CONFIG(.url = url, .tls_ca = servers_ca("ca.pem"), .tls = DBM_TLS_VERIFY_CA)), cases[i].ca);
        OK(opens(DBM_CONFIG(.url = url, .tls = DBM_TLS_REQUIRE)));
        servers_remove(&own);
    }
}
#endif

int main(void) {
    static const struct CMUnitTest tests[] = {
#if defined(TEST_AWAITED) /* the rest has no sessions, more than one manager, sessions of other threads, or leaves them early */
        cmocka_unit_test_setup_teardown(keys, set_up, tear_down), cmocka_unit_test_setup_teardown(collections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_bytes, set_up, tear_down), cmocka_unit_test_setup_teardown(formats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_session_leaves, set_up, tear_down), cmocka_unit_test_setup_teardown(transactions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transactions_in_order, set_up, tear_down), cmocka_unit_test_setup_teardown(lost_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deadlines, set_up, tear_down), cmocka_unit_test_setup_teardown(cancels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_isolation, set_up, tear_down),
    };
    static const struct CMUnitTest of_the_synchronous_side[] = {
#endif
#if DBM_HAS_REDIS_TLS
        cmocka_unit_test(by_tls),
        cmocka_unit_test(wrong_certificates),
#endif
        cmocka_unit_test_setup_teardown(keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(collections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(formats, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_session_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transactions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refused_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(transactions_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_than_the_sockets_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_much_to_put_aside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(killed_connections, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deadlines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancels, set_up, tear_down),
        cmocka_unit_test(stopped_server),
        cmocka_unit_test(opening),
        cmocka_unit_test_setup_teardown(a_user_with_few_rights, set_up, tear_down),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test_setup_teardown(listens, set_up, tear_down), cmocka_unit_test_setup_teardown(a_listener_without_rights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_isolation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pushes, set_up, tear_down), cmocka_unit_test(pushes_in_pieces), cmocka_unit_test(halves_of_pushes),
        cmocka_unit_test(garbage),
        cmocka_unit_test(neither_waits_for_the_other),
        cmocka_unit_test(within_a_window),
        cmocka_unit_test_setup_teardown(read_as_it_is_written, set_up, tear_down),
        cmocka_unit_test(errors_of_servers),
        cmocka_unit_test_setup_teardown(many_threads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(costs_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory, set_up, tear_down)
    };
#if defined(TEST_AWAITED)
    (void)of_the_synchronous_side;
#endif
    (void)signal(SIGPIPE, on_pipe);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
