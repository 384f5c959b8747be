/* APR DBD, as mod_dbd uses it: a resource list as the pool, statements prepared when a connection is opened, values bound in binary, a memory pool
 * that is cleared after each piece of work. */
#define BENCH_CONTENDER "apr"
#include "bench.h"
#include <apr_dbd.h>
#include <apr_pools.h>
#include <apr_reslist.h>

enum { CONNECTIONS = 4 };
typedef struct connection { apr_dbd_t *handle; apr_dbd_prepared_t *find, *scan, *insert; } connection;

static apr_pool_t *memory, *work;
static const apr_dbd_driver_t *driver;
static apr_reslist_t *pool;
static connection *con;
static char driver_name[16];

static void fail(const char *what, apr_dbd_t *handle, int rc) { bench_die(what, apr_dbd_error(driver, handle, rc)); }
/* Only what has a label stays prepared on PostgreSQL. */
static apr_dbd_prepared_t *prepare(apr_dbd_t *handle, apr_pool_t *p, const char *label, const char *sql) {
    apr_dbd_prepared_t *st = NULL;
    int rc = apr_dbd_prepare(driver, p, handle, sql, label, &st);
    if (rc != 0) fail(sql, handle, rc);
    return st;
}
static apr_status_t construct(void **out, void *unused, apr_pool_t *p) {
    connection *c = (connection *)apr_pcalloc(p, sizeof *c);
    const char *error = NULL, *where = strchr(bench_environment("BENCH_APR"), ' ') + 1;
    (void)unused;
    if (apr_dbd_open_ex(driver, p, where, &c->handle, &error) != APR_SUCCESS) bench_die("open", error != NULL ? error : where);
    c->find = prepare(c->handle, p, "find", BENCH_LOOKUP("%lld"));
    c->scan = prepare(c->handle, p, "scan", BENCH_SCAN("%lld"));
    c->insert = prepare(c->handle, p, "insert", BENCH_INSERT("%lld", "%s", "%lf"));
    *out = c;
    return APR_SUCCESS;
}
static apr_status_t destruct(void *it, void *unused, apr_pool_t *p) {
    (void)unused;
    (void)p;
    return apr_dbd_close(driver, ((connection *)it)->handle);
}
static connection *take(void) {
    void *c = NULL;
    if (apr_reslist_acquire(pool, &c) != APR_SUCCESS) bench_die("acquire", "no connection");
    return (connection *)c;
}

static void start_size(int size) {
    const char *words = bench_environment("BENCH_APR");
    if (memory == NULL) {
        apr_initialize();
        apr_pool_create(&memory, NULL);
        apr_dbd_init(memory);
        snprintf(driver_name, sizeof driver_name, "%.*s", (int)strcspn(words, " "), words);
        if (apr_dbd_get_driver(memory, driver_name, &driver) != APR_SUCCESS) bench_die(driver_name, "no such driver");
        apr_pool_create(&work, memory);
    }
    if (apr_reslist_create(&pool, 1, size, size, 0, construct, destruct, NULL, memory) != APR_SUCCESS) bench_die("reslist", "not made");
}
static void start(void) { start_size(CONNECTIONS); }
static void end(void) { apr_reslist_destroy(pool); }
static void open_it(void) {
    start();
    con = take();
}
static void close_it(void) {
    apr_reslist_release(pool, con);
    end();
}

static inline void lookup_in(connection *c, long id) {
    apr_int64_t number = id;
    apr_dbd_results_t *r = NULL;
    apr_dbd_row_t *row = NULL;
    int age = 0, rc = apr_dbd_pvbselect(driver, work, c->handle, &r, c->find, 0, &number);
    if (rc != 0) fail("lookup", c->handle, rc);
    if (apr_dbd_get_row(driver, work, r, &row, -1) != 0) bench_die("lookup", "no row");
    apr_dbd_datum_get(driver, row, 1, APR_DBD_TYPE_INT, &age);
    bench_user(apr_dbd_get_entry(driver, row, 0), age);
    while (apr_dbd_get_row(driver, work, r, &row, -1) == 0) {}
    apr_pool_clear(work);
}
static apr_dbd_transaction_t *begin(connection *c) {
    apr_dbd_transaction_t *t = NULL;
    int rc = apr_dbd_transaction_start(driver, memory, c->handle, &t);
    if (rc != 0) fail("begin", c->handle, rc);
    return t;
}
static void commit(connection *c, apr_dbd_transaction_t *t) {
    int rc = apr_dbd_transaction_end(driver, memory, t);
    if (rc != 0) fail("commit", c->handle, rc);
}
static void lookup(long n) {
    apr_dbd_transaction_t *t = begin(con);
    for (long i = 0; i < n; i++) lookup_in(con, bench_id(i));
    commit(con, t);
}
static void session(long n) {
    for (long i = 0; i < n; i++) {
        connection *c = take();
        lookup_in(c, bench_id(i));
        apr_reslist_release(pool, c);
    }
}
static void transaction(long n) {
    for (long i = 0; i < n; i++) {
        connection *c = take();
        apr_dbd_transaction_t *t = begin(c);
        lookup_in(c, bench_id(i));
        commit(c, t);
        apr_reslist_release(pool, c);
    }
}
static void scan(long n) {
    apr_int64_t number = n;
    apr_dbd_results_t *r = NULL;
    apr_dbd_row_t *row = NULL;
    int rc = apr_dbd_pvbselect(driver, work, con->handle, &r, con->scan, 0, &number);
    if (rc != 0) fail("scan", con->handle, rc);
    while (apr_dbd_get_row(driver, work, r, &row, -1) == 0) {
        apr_int64_t id = 0;
        int age = 0;
        double score = 0;
        apr_dbd_datum_get(driver, row, 0, APR_DBD_TYPE_LONGLONG, &id);
        apr_dbd_datum_get(driver, row, 2, APR_DBD_TYPE_INT, &age);
        apr_dbd_datum_get(driver, row, 3, APR_DBD_TYPE_DOUBLE, &score);
        bench_big(id, apr_dbd_get_entry(driver, row, 1), age, score);
    }
    apr_pool_clear(work);
}
static void clear(void) {
    int rows, rc = apr_dbd_query(driver, con->handle, &rows, BENCH_CLEAR);
    if (rc != 0) fail("clear", con->handle, rc);
}
static void insert(long n) {
    apr_dbd_transaction_t *t = begin(con);
    for (long id = 1; id <= n; id++) {
        apr_int64_t number = id;
        double score = bench_score(id);
        int rows, rc = apr_dbd_pvbquery(driver, work, con->handle, &rows, con->insert, &number, bench_name(id), &score);
        if (rc != 0) fail("insert", con->handle, rc);
        apr_pool_clear(work);
    }
    commit(con, t);
}
static void notes(void) {
    apr_dbd_results_t *r = NULL;
    apr_dbd_row_t *row = NULL;
    int rc = apr_dbd_select(driver, work, con->handle, &r, BENCH_NOTES, 0);
    if (rc != 0) fail("notes", con->handle, rc);
    if (apr_dbd_get_row(driver, work, r, &row, -1) == 0) bench_sum = (uint64_t)strtod(apr_dbd_get_entry(driver, row, 0), NULL);
    while (apr_dbd_get_row(driver, work, r, &row, -1) == 0) {}
    apr_pool_clear(work);
}

static long checkouts(long n) {
    for (long i = 0; i < n; i++) apr_reslist_release(pool, take());
    return n;
}
BENCH_CHECKOUTS(checkouts, checkouts)
static void starts(long n) {
    for (long i = 0; i < n; i++) {
        open_it();
        lookup_in(con, bench_id(i));
        close_it();
    }
}
static void idle(long n) {
    connection *out[10];
    uint64_t sum = bench_sum;
    start_size((int)n);
    for (long i = 0; i < n; i++) lookup_in(out[i] = take(), bench_id(i));
    for (long i = 0; i < n; i++) apr_reslist_release(pool, out[i]);
    bench_sum = sum + (uint64_t)n;
}

static const bench_entry entries[] = {
    BENCH_PEER(start, end, insert),
    { "start_sqlite", "", NULL, NULL, starts, NULL, NULL },
    BENCH_POOL(start, end),
};

BENCH_MAIN(entries)
