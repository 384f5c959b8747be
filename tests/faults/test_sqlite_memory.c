/* SQLite's own allocations fail, each in turn: no crash, no wrong answer, no NULL in place of a text, and the connection or the next
 * one works on. */
#include "dbm_test.h"
#include <sqlite3.h>

static sqlite3_mem_methods real;
static long countdown; /* the allocation that fails, counted down to 0; negative: none */
static long failures;

static bool fails(void) {
    if (countdown <= 0 || --countdown > 0) return false;
    failures++;
    return true;
}
static void *faulty_malloc(int size) { return fails() ? NULL : real.xMalloc(size); }
static void *faulty_realloc(void *p, int size) { return fails() ? NULL : real.xRealloc(p, size); }

static dbm_manager *mgr;
static dbm_database *db;
static test_dir dir;

static int setup(void **state) {
    dbm_config config;
    (void)state;
    test_dir_make(&dir);
    memset(&config, 0, sizeof config);
    config.url = test_dir_url(&dir, "app.db");
    assert_int_equal(dbm_manager_create(&mgr, NULL), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, &config), DBM_OK);
    db = dbm_get(mgr, "default");
    assert_non_null(db);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    return 0;
}

static dbm_status run(dbm_connection *c, const char *sql, const dbm_value *values, int count, size_t hold, int64_t *sum) {
    dbm_prepared p;
    dbm_op op;
    dbm_status status;
    memset(&p, 0, sizeof p);
    p.sql = sql;
    p.sql_size = strlen(sql);
    p.parameters = count;
    dbm__op_init(&op, DBM_OP_PREPARE, INT64_MAX);
    op.prepared = &p;
    status = dbm__op_run(c, &op);
    if (status != DBM_OK) return status;
    dbm__op_init(&op, DBM_OP_EXECUTE, INT64_MAX);
    op.prepared = &p;
    op.values = values;
    op.value_count = count;
    status = dbm__op_run(c, &op);
    if (status == DBM_OK && op.row) {
        do {
            int i;
            for (i = 0; i < op.columns && status == DBM_OK; i++) {
                dbm_value v;
                status = c->db->adapter->column(c, &op, i, &v);
                if (status == DBM_OK) assert_int_not_equal(v.type, DBM_TYPE_NULL); /* there are none in these tables */
                if (status == DBM_OK && v.type == DBM_TYPE_INT) *sum += v.as.integer;
                if (status == DBM_OK && v.type == DBM_TYPE_TEXT) *sum += (int64_t)strlen(v.as.text.data);
            }
            if (status == DBM_OK && hold != 0) {
                op.kind = DBM_OP_HOLD;
                op.row_buffer = hold;
                status = dbm__op_run(c, &op);
            }
            op.kind = DBM_OP_FETCH;
            if (status == DBM_OK) status = dbm__op_run(c, &op);
        } while (status == DBM_OK);
        if (status == DBM_DONE) status = DBM_OK;
    }
    if (op.result != NULL) {
        dbm_error_info kept = dbm__self()->last;
        op.kind = DBM_OP_FINISH;
        assert_int_equal(dbm__op_run(c, &op), DBM_OK);
        dbm__self()->last = kept;
    }
    op.kind = DBM_OP_UNPREPARE;
    op.prepared = &p;
    assert_int_equal(dbm__op_run(c, &op), DBM_OK);
    return status;
}

static dbm_status transaction(dbm_connection *c, dbm_op_kind kind) {
    dbm_op op;
    dbm__op_init(&op, kind, INT64_MAX);
    op.write = true;
    return dbm__op_run(c, &op);
}

static dbm_status connect_to(dbm_connection *c) {
    dbm_op op;
    dbm_status status;
    memset(c, 0, sizeof *c);
    c->db = db;
    c->connecting = true;
    dbm__op_init(&op, DBM_OP_CONNECT, INT64_MAX);
    status = dbm__op_run(c, &op);
    c->connecting = false;
    c->open = status == DBM_OK;
    return status;
}

/* One transaction with some of everything. *sum: what the rows add up to, as far as they came. */
static dbm_status work(dbm_connection *c, int64_t *sum) {
    dbm_value v[3];
    dbm_status status;
    v[0] = dbm_timestamp(INT64_C(1709210096789012));
    v[1] = dbm_textn("three", 5);
    v[2] = dbm_blob("\0\1", 2);
    status = transaction(c, DBM_OP_BEGIN);
    if (status != DBM_OK) return status;
    status = run(c, "INSERT INTO t(a, b, c) VALUES (?, ?, ?)", v, 3, 0, sum);
    if (status == DBM_OK) {
        status = run(c, sqlite3_libversion_number() >= 3035000
                            ? "INSERT INTO t(a, b, c) VALUES (?, ?, ?) RETURNING id, b || hex(zeroblob(2000))"
                            : "INSERT INTO t(a, b, c) VALUES (?, ?, ?)", v, 3, 0, sum);
    }
    if (status == DBM_OK) {
        status = run(c, "SELECT id, a, b, upper(b), c, substr(b || b, 2) FROM t ORDER BY b, id DESC", NULL, 0, 0, sum);
    }
    if (status == DBM_OK) status = run(c, "SELECT id, a, b, upper(b), length(c) FROM t", NULL, 0, 1 << 20, sum);
    if (status == DBM_OK) status = transaction(c, DBM_OP_COMMIT);
    if (status != DBM_OK) {
        dbm_error_info kept = dbm__self()->last;
        /* ROLLBACK may need memory too; then the connection is given up, as a session does. */
        if (transaction(c, DBM_OP_ROLLBACK) != DBM_OK) assert_true(c->broken || kept.status == DBM_E_NOMEM);
        dbm__self()->last = kept;
    }
    return status;
}

static void test_allocations_fail(void **state) {
    dbm_connection c;
    int64_t expected = 0, rows, now, sum = 0;
    dbm_status status = DBM_E_NOMEM;
    long n;
    int round;
    (void)state;
    countdown = 0;
    assert_int_equal(connect_to(&c), DBM_OK);
    assert_int_equal(run(&c, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT, c BLOB)", NULL, 0, 0, &sum), DBM_OK);
    dbm__connection_close(&c, DBM_DISCONNECT_POLITE);
    /* Once with a new connection each time, once on a connection that has failed many times before. */
    for (round = 0; round < 2; round++) {
        if (round == 1) assert_int_equal(connect_to(&c), DBM_OK);
        status = DBM_E_NOMEM;
        for (n = 1; n < 20000; n += n < 400 ? 1 : 7) {
            long before = failures;
            rows = now = sum = 0;
            if (round == 0) {
                countdown = n;
                status = connect_to(&c);
                if (status != DBM_OK) {
                    countdown = 0;
                    assert_int_equal(status, DBM_E_NOMEM);
                    continue;
                }
                countdown = 0;
            }
            assert_int_equal(run(&c, "SELECT count(*) FROM t", NULL, 0, 0, &rows), DBM_OK);
            assert_int_equal(run(&c, "DELETE FROM t", NULL, 0, 0, &now), DBM_OK);
            countdown = n;
            status = work(&c, &sum);
            countdown = 0;
            if (status != DBM_OK && status != DBM_E_NOMEM) fail_msg("%ld: %s", n, dbm_last_error()->message);
            if (c.broken || round == 0) {
                dbm__connection_close(&c, DBM_DISCONNECT_POLITE);
                assert_int_equal(connect_to(&c), DBM_OK);
            }
            now = 0;
            assert_int_equal(run(&c, "SELECT count(*) FROM t", NULL, 0, 0, &now), DBM_OK);
            assert_int_equal(now, status == DBM_OK ? 2 : 0);
            if (round == 0) dbm__connection_close(&c, DBM_DISCONNECT_POLITE);
            if (failures == before) break;
        }
        assert_int_equal(status, DBM_OK);
        assert_true(n > 100);
        assert_true(sum > 0 && (expected == 0 || sum == expected));
        expected = sum;
        if (round == 1) dbm__connection_close(&c, DBM_DISCONNECT_POLITE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup_teardown(test_allocations_fail, setup, teardown) };
    sqlite3_mem_methods faulty;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real) != SQLITE_OK) return 1;
    faulty = real;
    faulty.xMalloc = faulty_malloc;
    faulty.xRealloc = faulty_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &faulty) != SQLITE_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
