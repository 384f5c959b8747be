/* Rows in bulk through the asynchronous side on real servers: PostgreSQL's COPY and MariaDB's arrays by steps on the loop, SQLite's and MongoDB's on its workers. What
 * a bulk is made of is in test_async_backends.c, its failures step by step in test_async_faults.c; here is what the loop adds. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "dbm_test.h"
#include "servers/test_servers.h"
#include <dirent.h>

enum { SQLITE, POSTGRESQL, MARIADB };
static const char *const types[] = { "sqlite", "postgresql", "mysql" };
static int type;
static test_dir dir;
static servers_database fresh;
static dbm_manager *mgr;
static dbm_database *db;
static dbm_loop *loop;

#define assert_ok(call) do { dbm_status ok_st = (call); \
    if (ok_st != DBM_OK) fail_msg("%s: %s: %s: %s", types[type], #call, dbm_status_name(ok_st), dbm_last_error()->message); } while (0)
#define assert_status(call, want) do { dbm_status got_st = (call); \
    if (got_st != (want)) fail_msg("%s: %s: %s, expected %s: %s", types[type], #call, dbm_status_name(got_st), dbm_status_name(want), dbm_last_error()->message); } while (0)

static void open_with(int connections) {
    dbm_options options;
    dbm_config config;
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    options.no_env = true;
    options.grace_ms = 3000;
    config.pool.size = connections;
    config.pool.max_overflow = -1;
    if (type == SQLITE) test_dir_make(&dir);
    else servers_fresh(&fresh, types[type]);
    config.url = type == SQLITE ? test_dir_url(&dir, "b.db") : fresh.url;
    assert_ok(dbm_manager_create(&mgr, &options));
    assert_ok(dbm_add_database(mgr, &config));
    assert_non_null(db = dbm_get(mgr, NULL));
    assert_ok(dbm_exec(db, "CREATE TABLE unit (n INTEGER PRIMARY KEY, t VARCHAR(2000) NOT NULL)"));
    assert_ok(dbm_loop_create(&loop, mgr, NULL));
}
static void close_all(void) {
    dbm_stats_info s;
    dbm_loop_free(loop);
    assert_ok(dbm_stats(db, &s));
    assert_int_equal(s.out, 0);
    assert_int_equal(s.connecting, 0);
    assert_int_equal(s.idle, s.open);
    assert_ok(dbm_close_all(mgr));
    dbm_manager_free(mgr);
    if (type == SQLITE) test_dir_remove(&dir);
    else servers_drop(&fresh);
}
static int64_t number(const char *sql) {
    dbm_row *row;
    int64_t n;
    assert_ok(dbm_query_one(db, &row, sql));
    n = dbm_row_int(row, 0);
    dbm_row_end(row);
    return n;
}
static int threads(void) {
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

typedef struct ended { int times; dbm_status status; dbm_error_info error; } ended;
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    ended *e = (ended *)ud;
    e->times++;
    e->status = status;
    if (error != NULL) e->error = *error;
}
static dbm_status run_one(dbm_task_fn fn, void *data) {
    ended e;
    memset(&e, 0, sizeof e);
    assert_non_null(dbm_spawn_opt(loop, fn, data, .on_end = on_end, .on_end_ud = &e).loop);
    assert_ok(dbm_loop_run(loop, 60000));
    assert_int_equal(e.times, 1);
    if (e.status != DBM_OK) (void)dbm__fail_again(&e.error);
    return e.status;
}

/* ---- many rows, one by one and as arrays, while others have their turn ---- */

enum { MANY = 20000 };
typedef struct filling { dbm_session s; dbm_bulk *b; dbm_rows *rows; dbm_row *row; int i, bad, at, skipped; int64_t sum, ticks; bool done, each; dbm_status rc; char text[1001]; } filling;
static int numbers[MANY];
static const char *texts[MANY];

static dbm_task_status ticks(dbm_task *t) {
    filling *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (x->ticks = 0; !x->done; x->ticks++) DBM_AWAIT(t, dbm_async_sleep(t, 1));
    DBM_TASK_END(t);
}
static dbm_task_status fills(dbm_task *t) {
    filling *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", -1, "before"));
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "unit", "n,t"));
    for (x->i = 0; x->i < MANY / 4; x->i++) {
        (void)snprintf(x->text, sizeof x->text, "text %d", x->i);
        DBM_AWAIT(t, dbm_async_bulk_row(x->b, x->i, x->text));
        memset(x->text, 'x', 8); /* needed no longer than the call */
    }
    {
        const dbm_column columns[] = { DBM_COLUMN(numbers + MANY / 4), DBM_COLUMN(texts + MANY / 4) };
        DBM_AWAIT(t, dbm_async_bulk_columns(x->b, columns, 2, MANY - MANY / 4)); /* the dbm_columns themselves are copied */
    }
    {
        const dbm_value last[] = { dbm_int(MANY), dbm_text("last") };
        DBM_AWAIT(t, dbm_async_bulk_rowv(x->b, last, 2));
    }
    (void)dbm_async_bulk_row(x->b, MANY + 1, "unawaited");
    DBM_AWAIT(t, dbm_async_bulk_end(x->b));
    x->sum = dbm_affected(&x->s);
    x->done = true;
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_end(x->b));
    assert_int_equal(x->rc, DBM_E_MISUSE);
    assert_ok(dbm_clear_error(&x->s) == DBM_OK ? DBM_OK : DBM_OK);
    DBM_TASK_END(t);
}
static void many_rows(void **state) {
    (void)state;
    for (int i = 0; i < MANY; i++) {
        numbers[i] = i;
        texts[i] = "of an array";
    }
    for (type = SQLITE; type <= MARIADB; type++) {
        filling x;
        int before;
        memset(&x, 0, sizeof x);
        open_with(1);
        before = threads();
        (void)dbm_spawn(loop, ticks, &x);
        assert_ok(run_one(fills, &x));
        assert_int_equal(x.sum, MANY + 2);
        assert_true(x.ticks > 2);
        if (type == POSTGRESQL) assert_int_equal(threads(), before); /* no worker was needed */
        assert_int_equal(number("SELECT COUNT(*) FROM unit"), MANY + 3);
        assert_int_equal(number("SELECT COUNT(*) FROM unit WHERE t LIKE 'text %'"), MANY / 4);
        close_all();
    }
}

/* ---- a row that fails, while much is on its way ---- */

static dbm_task_status fails(dbm_task *t) {
    filling *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", -1, "before"));
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "unit", "n,t"));
    memset(x->text, 'y', 1000);
    for (x->i = 0; x->i < MANY && x->rc == DBM_OK; x->i++) DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_row(x->b, x->i == 5 ? -1 : x->i, x->text));
    if (x->rc == DBM_OK) DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_end(x->b));
    assert_int_equal(x->rc, DBM_E_CONSTRAINT);
    if (type != MARIADB) assert_non_null(strstr(dbm_last_error()->message, "row 5 of the bulk"));
    assert_int_equal(dbm_status_of(&x->s), DBM_E_CONSTRAINT);
    assert_ok(dbm_clear_error(&x->s)); /* the bulk alone was undone */
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", -2, "after"));
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "unit", "n,t"));
    for (x->i = 0; x->i < 100; x->i++) DBM_AWAIT(t, dbm_async_bulk_row(x->b, x->i, x->text));
    DBM_AWAIT(t, dbm_async_bulk_abandon(x->b));
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "unit", "n,t"));
    DBM_AWAIT(t, dbm_async_bulk_row(x->b, 7, "kept"));
    DBM_AWAIT(t, dbm_async_bulk_end(x->b));
    DBM_TASK_END(t);
}
/* The server says early that it takes none of it, and the rest is megabytes: neither side waits for the other. */
static void a_row_that_fails(void **state) {
    (void)state;
    for (type = SQLITE; type <= MARIADB; type++) {
        filling x;
        memset(&x, 0, sizeof x);
        open_with(1);
        assert_ok(run_one(fails, &x));
        assert_int_equal(number("SELECT COUNT(*) FROM unit"), 3);
        close_all();
    }
}

/* ---- cut short at every step ---- */

static void refused(void *ud, int64_t row, const dbm_error_info *error) {
    filling *x = (filling *)ud;
    assert_int_equal(error->status, DBM_E_CONSTRAINT);
    assert_int_equal(row, 2);
    x->skipped++;
}
static dbm_task_status all_steps(dbm_task *t) {
    filling *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    memset(x->text, 'z', 1000);
    DBM_AWAIT(t, dbm_async_exec(&x->s, "INSERT INTO unit VALUES (?, ?)", 0, "first"));
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "unit", "n,t"));
    for (x->i = 1; x->i <= 150; x->i++) DBM_AWAIT(t, dbm_async_bulk_row(x->b, x->i, x->text));
    DBM_AWAIT(t, dbm_async_bulk_end(x->b));
    DBM_AWAIT(t, dbm_async_commit(&x->s));
    DBM_AWAIT(t, dbm_async_bulk_begin_opt(&x->s, &x->b, "unit", "n,t", .each_row = 1, .failed = refused, .failed_ud = x));
    for (x->i = 0; x->i < 4; x->i++) DBM_AWAIT(t, dbm_async_bulk_row(x->b, x->i == 2 ? 1 : 200 + x->i, "each"));
    DBM_AWAIT(t, dbm_async_bulk_end(x->b));
    assert_int_equal(x->skipped, 1);
    x->done = true;
    DBM_TASK_END(t);
}
static void check_whole(int i) {
    int64_t n = number("SELECT COUNT(*) FROM unit");
    if (n != 0 && n != 151 && n != 154) fail_msg("%s: step %d: %d rows", types[type], i, (int)n);
    assert_ok(dbm_exec(db, "DELETE FROM unit"));
}
static void cut_short(bool loop_goes) {
    for (type = SQLITE; type <= MARIADB; type++) {
        bool whole = false;
        open_with(1);
        for (int i = 0; i < 3000 && !whole; i += i < 60 || loop_goes ? 1 + i / 40 : 3) {
            filling x;
            ended e;
            dbm_task_handle h;
            dbm_status st = DBM_OK;
            memset(&x, 0, sizeof x);
            memset(&e, 0, sizeof e);
            h = dbm_spawn_opt(loop, all_steps, &x, .on_end = on_end, .on_end_ud = &e);
            for (int k = 0; k < i && st == DBM_OK; k++) st = dbm_loop_step(loop, 1000);
            whole = st == DBM_DONE;
            if (loop_goes) {
                dbm_loop_free(loop);
                assert_ok(dbm_loop_create(&loop, mgr, NULL));
            } else {
                assert_ok(dbm_task_cancel(h));
                assert_ok(dbm_loop_run(loop, 20000));
            }
            assert_int_equal(e.times, 1);
            if (e.status != DBM_OK && e.status != DBM_E_CANCELLED && e.status != DBM_E_CLOSED && e.status != DBM_E_IN_DOUBT) fail_msg("%s: step %d: %s", types[type], i, e.error.message);
            check_whole(i);
        }
        assert_true(whole);
        close_all();
    }
}
static void cancelled_at_every_step(void **state) {
    (void)state;
    cut_short(false);
}
static void the_loop_goes_at_every_step(void **state) {
    (void)state;
    cut_short(true);
}

/* A server that does not read on: the deadline ends it, and a call that waits is refused meanwhile. */
static dbm_task_status too_slow(dbm_task *t) {
    filling *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_opt(t, NULL, &x->s, .timeout_ms = 500));
    memset(x->text, 's', 1000);
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "slow", "n,t"));
    for (x->i = 0; x->i < MANY && x->rc == DBM_OK; x->i++) DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_row(x->b, x->i, x->text));
    if (x->rc == DBM_OK) DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_end(x->b));
    assert_int_equal(x->rc, DBM_E_TIMEOUT);
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_end(x->b));
    assert_int_equal(x->rc, DBM_E_TIMEOUT);
    x->done = true;
    DBM_AWAIT(t, dbm_async_rollback(&x->s));
    DBM_TASK_END(t);
}
static void deadlines(void **state) {
    filling x;
    ended e;
    (void)state;
    memset(&x, 0, sizeof x);
    memset(&e, 0, sizeof e);
    type = POSTGRESQL;
    open_with(1);
    assert_ok(dbm_script(db, "CREATE TABLE slow (n int, t text); CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                             "IF NEW.n = 3 THEN PERFORM pg_sleep(20); END IF; RETURN NEW; END $$; CREATE TRIGGER s BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION sleeps()"));
    (void)dbm_spawn_opt(loop, too_slow, &x, .on_end = on_end, .on_end_ud = &e);
    assert_status(dbm_loop_run(loop, 200), DBM_E_TIMEOUT);
    assert_status(dbm_bulk_row(x.b, 1, "from outside"), DBM_E_MISUSE); /* while the loop has it */
    assert_status(dbm_bulk_end(x.b), DBM_E_MISUSE);
    assert_status(dbm_bulk_abandon(x.b), DBM_E_MISUSE);
    assert_status(dbm_exec(&x.s, "SELECT 1"), DBM_E_MISUSE);
    assert_ok(dbm_loop_run(loop, 5000));
    assert_true(x.done);
    assert_int_equal(number("SELECT COUNT(*) FROM slow"), 0);
    close_all();
}

/* ---- callbacks ---- */

enum { TO_THE_END = 0, FAILS_ITSELF, BAD_VALUES, ENDS_SESSION, FREES_LOOP, FREES_AT_END, CALLBACKS };
typedef struct produced { dbm_session s; int way, of, made, told; dbm_status last; dbm_error_info error; char text[40]; } produced;
static void produced_end(void *ud, dbm_status status) {
    produced *p = (produced *)ud;
    p->told++;
    p->last = status;
    p->error = *dbm_last_error();
    if (p->way == FREES_AT_END) dbm_loop_free(loop);
    else if (p->s.slot != NULL) assert_true(dbm_async_end_cb(&p->s, NULL, NULL) == DBM_OK || p->way == FREES_LOOP);
}
static dbm_status produce(void *ud, dbm_value *values) {
    produced *p = (produced *)ud;
    assert_int_equal(p->told, 0);
    if (p->made == 1500 && p->way == FAILS_ITSELF) return DBM_E_RANGE;
    if (p->made == 1500 && p->way == ENDS_SESSION) assert_ok(dbm_async_end_cb(&p->s, NULL, NULL));
    if (p->made == 1500 && p->way == FREES_LOOP) dbm_loop_free(loop);
    if (p->made == p->of) return DBM_DONE;
    (void)snprintf(p->text, sizeof p->text, "made %d", p->made);
    values[0] = dbm_int(p->made++);
    if (p->made != 1500 || p->way != BAD_VALUES) values[1] = dbm_text(p->text); /* else NULL, which the table does not take */
    return DBM_OK;
}
static void produced_begun(void *ud, dbm_status status) {
    produced *p = (produced *)ud;
    assert_ok(status);
    assert_ok(dbm_async_bulk_cb(&p->s, "unit", "n,t", NULL, produce, produced_end, p));
    assert_int_equal(p->made, 0); /* not in the call */
}
static void callbacks(void **state) {
    static const dbm_status want[] = { DBM_OK, DBM_E_RANGE, DBM_E_CONSTRAINT, DBM_E_MISUSE, DBM_E_CLOSED, DBM_OK };
    (void)state;
    for (type = SQLITE; type <= MARIADB; type++) {
        for (int way = 0; way < CALLBACKS; way++) {
            produced p;
            dbm_status st;
            memset(&p, 0, sizeof p);
            p.way = way;
            p.of = 3000;
            open_with(1);
            assert_ok(dbm_async_session_cb(loop, db, NULL, &p.s, produced_begun, &p));
            st = dbm_loop_run(loop, 60000);
            if (way == FREES_LOOP || way == FREES_AT_END) {
                assert_int_equal(st, DBM_E_CLOSED);
                loop = NULL;
            } else {
                assert_ok(st);
            }
            assert_int_equal(p.told, 1);
            if (p.last != want[way] && !(way == FREES_LOOP && p.last == DBM_E_CANCELLED)) fail_msg("%s: way %d: %s: %s", types[type], way, dbm_status_name(p.last), p.error.message);
            assert_int_equal(number("SELECT COUNT(*) FROM unit"), way == TO_THE_END ? 3000 : 0);
            close_all();
        }
    }
    type = SQLITE;
    open_with(1);
    {
        produced p;
        dbm_session none = { NULL, 0, 0 };
        memset(&p, 0, sizeof p);
        assert_status(dbm_async_bulk_cb(&none, "unit", "n,t", NULL, produce, produced_end, &p), DBM_E_MISUSE);
        assert_ok(dbm_loop_run(loop, 100));
        assert_int_equal(p.told, 0);
    }
    close_all();
}

/* ---- COPY out ---- */

static dbm_task_status copies_out(dbm_task *t) {
    filling *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session(t, NULL, &x->s));
    DBM_AWAIT(t, dbm_async_query(&x->s, &x->rows, "COPY (SELECT n, repeat('o', 1000) FROM generate_series(1, 50000) AS n) TO STDOUT"));
    DBM_AWAIT_ROW(t, x->rows, x->row) {
        x->i++;
        {
            size_t size;
            x->sum += strtol((const char *)dbm_row_blob(x->row, 0, &size), NULL, 10);
        }
        if (x->i == x->at) break;
        if (x->i % 10000 == 0) DBM_AWAIT(t, dbm_async_sleep(t, 5)); /* meanwhile the server waits */
    }
    DBM_AWAIT(t, dbm_async_rows_end(x->rows));
    DBM_AWAIT(t, dbm_async_query_one(&x->s, &x->row, "SELECT 41 + 1"));
    assert_int_equal(dbm_row_int(x->row, 0), 42);
    DBM_TASK_END(t);
}
static void copy_out(void **state) {
    (void)state;
    type = POSTGRESQL;
    open_with(1);
    for (int way = 0; way < 2; way++) { /* to its end, and left early */
        filling x;
        int before = threads();
        memset(&x, 0, sizeof x);
        x.at = way == 0 ? -1 : 12345;
        assert_ok(run_one(copies_out, &x));
        assert_int_equal(x.i, way == 0 ? 50000 : 12345);
        assert_true(x.sum == (int64_t)x.i * (x.i + 1) / 2);
        assert_int_equal(threads(), before);
    }
    close_all();
}

/* ---- where rows are no table's: Redis takes none; MongoDB's go on a worker ---- */

static dbm_task_status in_documents(dbm_task *t) {
    filling *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session(t, "redis", &x->s));
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_begin(&x->s, &x->b, "t", "a"));
    assert_int_equal(x->rc, DBM_E_UNSUPPORTED);
    assert_null(x->b);
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_row(x->b, 1)); /* of none */
    assert_true(x->rc != DBM_OK);
    assert_ok(dbm_clear_error(&x->s));
    DBM_AWAIT(t, dbm_async_redis_command(&x->s, NULL, "PING"));
#if !defined(__SANITIZE_THREAD__) /* libmongoc's own threads race */
    DBM_AWAIT(t, dbm_async_session(t, "mongo", &x->s));
    DBM_AWAIT(t, dbm_async_bulk_begin(&x->s, &x->b, "asynced_bulk", "a, b"));
    for (x->i = 0; x->i < 300; x->i++) DBM_AWAIT(t, dbm_async_bulk_row(x->b, x->i, "x"));
    DBM_AWAIT(t, dbm_async_bulk_end(x->b));
    assert_int_equal(dbm_affected(&x->s), 300);
#endif
    DBM_TASK_END(t);
}
static void redis_and_mongodb(void **state) {
    dbm_options options;
    dbm_config config;
    filling x;
    (void)state;
    type = SQLITE;
    memset(&x, 0, sizeof x);
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    options.no_env = true;
    assert_ok(dbm_manager_create(&mgr, &options));
    config.name = "redis";
    config.url = servers_url("redis");
    assert_ok(dbm_add_database(mgr, &config));
    config.name = "mongo";
    config.url = servers_url("mongodb");
    assert_ok(dbm_add_database(mgr, &config));
    assert_ok(dbm_loop_create(&loop, mgr, NULL));
    assert_ok(run_one(in_documents, &x));
    dbm_loop_free(loop);
    assert_ok(dbm_close_all(mgr));
    dbm_manager_free(mgr);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_rows), cmocka_unit_test(a_row_that_fails), cmocka_unit_test(cancelled_at_every_step), cmocka_unit_test(the_loop_goes_at_every_step),
        cmocka_unit_test(deadlines), cmocka_unit_test(callbacks), cmocka_unit_test(copy_out), cmocka_unit_test(redis_and_mongodb),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
