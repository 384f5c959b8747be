/* libzdb: a pool, and prepared statements, which it drops when a connection goes back; so a session each prepares again, as its users have to.
 * A long session keeps its statement. Scans come from a prepared statement too; the pool's size and reaper are left as they are. */
#define BENCH_CONTENDER "zdb"
#include "bench.h"
#include <zdb.h>

static ConnectionPool_T pool;
static Connection_T con;

static void start(void) {
    pool = ConnectionPool_new(URL_new(bench_environment("BENCH_ZDB")));
    ConnectionPool_start(pool);
}
static void end(void) {
    ConnectionPool_stop(pool);
    ConnectionPool_free(&pool);
}
static void open_it(void) {
    start();
    con = ConnectionPool_getConnection(pool);
}
static void close_it(void) {
    Connection_close(con);
    end();
}

static inline void lookup_in(PreparedStatement_T st, long id) {
    ResultSet_T r;
    PreparedStatement_setLLong(st, 1, id);
    r = PreparedStatement_executeQuery(st);
    if (!ResultSet_next(r)) bench_die("lookup", "no row");
    bench_user(ResultSet_getString(r, 1), ResultSet_getInt(r, 2));
}
static void lookup(long n) {
    PreparedStatement_T st;
    Connection_beginTransaction(con);
    st = Connection_prepareStatement(con, BENCH_LOOKUP("?"));
    for (long i = 0; i < n; i++) lookup_in(st, bench_id(i));
    Connection_commit(con);
    Connection_clear(con);
}
static void session(long n) {
    for (long i = 0; i < n; i++) {
        Connection_T c = ConnectionPool_getConnection(pool);
        lookup_in(Connection_prepareStatement(c, BENCH_LOOKUP("?")), bench_id(i));
        Connection_close(c);
    }
}
static void transaction(long n) {
    for (long i = 0; i < n; i++) {
        Connection_T c = ConnectionPool_getConnection(pool);
        Connection_beginTransaction(c);
        lookup_in(Connection_prepareStatement(c, BENCH_LOOKUP("?")), bench_id(i));
        Connection_commit(c);
        Connection_close(c);
    }
}
static void scan(long n) {
    PreparedStatement_T st = Connection_prepareStatement(con, BENCH_SCAN("?"));
    ResultSet_T r;
    PreparedStatement_setLLong(st, 1, n);
    r = PreparedStatement_executeQuery(st);
    while (ResultSet_next(r)) bench_big(ResultSet_getLLong(r, 1), ResultSet_getString(r, 2), ResultSet_getInt(r, 3), ResultSet_getDouble(r, 4));
    Connection_clear(con);
}
static void clear(void) { Connection_execute(con, BENCH_CLEAR); }
static void insert(long n) {
    PreparedStatement_T st;
    Connection_beginTransaction(con);
    st = Connection_prepareStatement(con, BENCH_INSERT("?", "?", "?"));
    for (long id = 1; id <= n; id++) {
        PreparedStatement_setLLong(st, 1, id);
        PreparedStatement_setString(st, 2, bench_name(id));
        PreparedStatement_setDouble(st, 3, bench_score(id));
        PreparedStatement_execute(st);
    }
    Connection_commit(con);
    Connection_clear(con);
}
static void notes(void) {
    ResultSet_T r = Connection_executeQuery(con, BENCH_NOTES);
    if (ResultSet_next(r)) bench_sum = (uint64_t)ResultSet_getDouble(r, 1);
    Connection_clear(con);
}

static long checkouts(long n) {
    for (long i = 0; i < n; i++) Connection_close(ConnectionPool_getConnection(pool));
    return n;
}
static void checkouts_1(long n) { bench_sum += (uint64_t)checkouts(n); }
static void starts(long n) {
    for (long i = 0; i < n; i++) {
        open_it();
        lookup_in(Connection_prepareStatement(con, BENCH_LOOKUP("?")), bench_id(i));
        close_it();
    }
}
static void idle(long n) {
    Connection_T out[10];
    uint64_t sum = bench_sum;
    start();
    for (long i = 0; i < n; i++) lookup_in(Connection_prepareStatement(out[i] = ConnectionPool_getConnection(pool), BENCH_LOOKUP("?")), bench_id(i));
    for (long i = 0; i < n; i++) Connection_close(out[i]);
    bench_sum = sum + (uint64_t)n;
}

static const bench_entry entries[] = {
    BENCH_PEER(start, end, insert),
    { "pool_1", "", start, NULL, checkouts_1, NULL, end },
    { "start_sqlite", "", NULL, NULL, starts, NULL, NULL },
};

BENCH_MAIN(entries)
