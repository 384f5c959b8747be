/* The SQLite adapter, operation by operation: on connections of the test's own, below pools and sessions. */
#include "dbm_test.h"
#include <sqlite3.h>
#include <sys/wait.h>

#define ALL (-1) /* rows: until the end */

/* ---- a manager with one database, connections, statements ---------------------------------------------------------------- */

typedef struct fixture {
    test_heap heap;
    test_dir dir;
    dbm_manager *mgr;
    dbm_database *db;
} fixture;
static fixture fx;

static dbm_database *add(const char *name, const char *url, const dbm_option *options, size_t count) {
    dbm_config config;
    memset(&config, 0, sizeof config);
    config.name = name;
    config.type = "sqlite";
    config.url = url;
    config.options = options;
    config.option_count = count;
    if (dbm_add_database(fx.mgr, &config) != DBM_OK) return NULL;
    return dbm_get(fx.mgr, name);
}

static int setup(void **state) {
    dbm_options options;
    (void)state;
    memset(&fx, 0, sizeof fx);
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&fx.heap);
    test_dir_make(&fx.dir);
    assert_int_equal(dbm_manager_create(&fx.mgr, &options), DBM_OK);
    fx.db = add("default", test_dir_url(&fx.dir, "app.db"), NULL, 0);
    assert_non_null(fx.db);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    dbm_manager_free(fx.mgr);
    test_dir_remove(&fx.dir);
    assert_int_equal(test_heap_live(&fx.heap), 0);
    return 0;
}

static const char *message(void) { return dbm_last_error()->message; }
static void assert_says(const char *part) {
    if (strstr(message(), part) == NULL) fail_msg("\"%s\" does not say \"%s\"", message(), part);
}

static dbm_status try_open(dbm_database *db, dbm_connection *c, int64_t deadline_us) {
    dbm_op op;
    dbm_status status;
    memset(c, 0, sizeof *c);
    c->db = db;
    c->connecting = true;
    dbm__op_init(&op, DBM_OP_CONNECT, deadline_us);
    status = dbm__op_run(c, &op);
    c->connecting = false;
    c->open = status == DBM_OK;
    return status;
}

static void open_on(dbm_database *db, dbm_connection *c) {
    if (try_open(db, c, INT64_MAX) != DBM_OK) fail_msg("connect: %s", message());
}

static void shut(dbm_connection *c) { dbm__connection_close(c, DBM_DISCONNECT_POLITE); }

static int64_t in_ms(int64_t ms) { return dbm__deadline(fx.db->host, ms); }

static dbm_status plain(dbm_connection *c, dbm_op_kind kind, int64_t deadline_us) {
    dbm_op op;
    dbm__op_init(&op, kind, deadline_us);
    return dbm__op_run(c, &op);
}

static dbm_status begin(dbm_connection *c, bool write, int64_t deadline_us) {
    dbm_op op;
    dbm__op_init(&op, DBM_OP_BEGIN, deadline_us);
    op.write = write;
    return dbm__op_run(c, &op);
}

static dbm_status point(dbm_connection *c, dbm_op_kind kind, int number) {
    dbm_op op;
    dbm__op_init(&op, kind, INT64_MAX);
    op.savepoint = number;
    return dbm__op_run(c, &op);
}

static dbm_status prepare(dbm_connection *c, dbm_prepared *p, const char *sql, int parameters) {
    dbm_op op;
    memset(p, 0, sizeof *p);
    p->sql = sql;
    p->sql_size = strlen(sql);
    p->parameters = parameters;
    dbm__op_init(&op, DBM_OP_PREPARE, INT64_MAX);
    op.prepared = p;
    op.sql = sql;
    op.sql_size = p->sql_size;
    return dbm__op_run(c, &op);
}

static void unprepare(dbm_connection *c, dbm_prepared *p) {
    dbm_op op;
    dbm__op_init(&op, DBM_OP_UNPREPARE, INT64_MAX);
    op.prepared = p;
    assert_int_equal(dbm__op_run(c, &op), DBM_OK);
    assert_null(p->data);
}

static dbm_status start(dbm_connection *c, dbm_op *op, dbm_prepared *p, const dbm_value *values, int count) {
    dbm__op_init(op, DBM_OP_EXECUTE, INT64_MAX);
    op->prepared = p;
    op->values = values;
    op->value_count = count;
    return dbm__op_run(c, op);
}

static dbm_status next(dbm_connection *c, dbm_op *op) {
    op->kind = DBM_OP_FETCH;
    return dbm__op_run(c, op);
}

static void finish(dbm_connection *c, dbm_op *op) {
    op->kind = DBM_OP_FINISH;
    assert_int_equal(dbm__op_run(c, op), DBM_OK);
}

static dbm_status hold(dbm_connection *c, dbm_op *op, size_t limit) {
    op->kind = DBM_OP_HOLD;
    op->row_buffer = limit;
    return dbm__op_run(c, op);
}

static dbm_value column(dbm_connection *c, dbm_op *op, int i) {
    dbm_value v;
    memset(&v, 0xA5, sizeof v);
    assert_int_equal(c->db->adapter->column(c, op, i, &v), DBM_OK);
    return v;
}

/* Runs a statement to its end, with the deadline of `op` when one is given. */
static dbm_status run_until(dbm_connection *c, const char *sql, int64_t deadline_us, dbm_op *result) {
    dbm_prepared p;
    dbm_op op;
    dbm_status status = prepare(c, &p, sql, 0);
    if (status != DBM_OK) return status;
    dbm__op_init(&op, DBM_OP_EXECUTE, deadline_us);
    op.prepared = &p;
    status = dbm__op_run(c, &op);
    if (status == DBM_OK && op.result != NULL) {
        if (op.row) while ((status = next(c, &op)) == DBM_OK) { }
        if (status == DBM_DONE) status = DBM_OK;
        finish(c, &op);
    }
    if (result != NULL) *result = op;
    unprepare(c, &p);
    return status;
}
static dbm_status try_run(dbm_connection *c, const char *sql) { return run_until(c, sql, INT64_MAX, NULL); }
static void run(dbm_connection *c, const char *sql) {
    if (try_run(c, sql) != DBM_OK) fail_msg("%s: %s", sql, message());
}

static int64_t number(dbm_connection *c, const char *sql) {
    dbm_prepared p;
    dbm_op op;
    int64_t n;
    if (prepare(c, &p, sql, 0) != DBM_OK || start(c, &op, &p, NULL, 0) != DBM_OK) fail_msg("%s: %s", sql, message());
    assert_true(op.row);
    assert_int_equal(column(c, &op, 0).type, DBM_TYPE_INT);
    n = column(c, &op, 0).as.integer;
    finish(c, &op);
    unprepare(c, &p);
    return n;
}

static void text_of(dbm_connection *c, const char *sql, char *block, size_t capacity) {
    dbm_prepared p;
    dbm_op op;
    if (prepare(c, &p, sql, 0) != DBM_OK || start(c, &op, &p, NULL, 0) != DBM_OK) fail_msg("%s: %s", sql, message());
    assert_true(op.row);
    assert_int_equal(column(c, &op, 0).type, DBM_TYPE_TEXT);
    (void)snprintf(block, capacity, "%s", column(c, &op, 0).as.text.data);
    finish(c, &op);
    unprepare(c, &p);
}

static sqlite3 *native_of(dbm_connection *c) {
    dbm_op op;
    dbm__op_init(&op, DBM_OP_NATIVE, INT64_MAX);
    assert_int_equal(dbm__op_run(c, &op), DBM_OK);
    assert_non_null(op.native);
    return (sqlite3 *)op.native;
}

/* ---- values ---------------------------------------------------------------------------------------------------------------- */

static void test_values_come_back(void **state) {
    static const char text[] = "na\xc3\xafve \0 text"; /* with a NUL in it */
    dbm_value in[16], out;
    dbm_connection c;
    dbm_prepared p;
    dbm_op op;
    int i;
    (void)state;
    open_on(fx.db, &c);
    run(&c, "CREATE TABLE v(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)");
    in[0] = dbm_null();
    in[1] = dbm_int(INT64_MIN);
    in[2] = dbm_int(INT64_MAX);
    in[3] = dbm_uint((uint64_t)INT64_MAX);
    in[4] = dbm_double(0.1);
    in[5] = dbm_double(-1.0 / 0.0);
    in[6] = dbm_bool(true);
    in[7] = dbm_textn(text, sizeof text - 1);
    in[8] = dbm_textn("abcdef", 3); /* no NUL behind it */
    in[9] = dbm_textn("", 0);
    in[10] = dbm_blob("\0\1\2", 3);
    in[11] = dbm_blob("", 0);
    in[11].as.text.data = NULL;
    in[12] = dbm_decimal("1.10");
    in[13] = dbm_timestamp(INT64_C(1709210096789012));
    in[14] = dbm_uuid("123e4567-e89b-12d3-a456-426614174000");
    in[15] = dbm_json("{\"a\":1}");
    for (i = 12; i < 16; i++) if (i != 13) in[i].as.text.size = strlen(in[i].as.text.data);
    assert_int_equal(prepare(&c, &p, "INSERT INTO v VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", 16), DBM_OK);
    assert_true(p.writes);
    assert_false(p.returns_rows);
    assert_true(p.single);
    if (start(&c, &op, &p, in, 16) != DBM_OK) fail_msg("%s", message());
    assert_null(op.result);
    assert_int_equal(op.affected, 1);
    assert_int_equal(op.last_id, 1);
    unprepare(&c, &p);

    assert_int_equal(prepare(&c, &p, "SELECT * FROM v", 0), DBM_OK);
    assert_false(p.writes);
    assert_true(p.returns_rows);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    assert_true(op.row);
    assert_int_equal(op.columns, 16);
    assert_int_equal(op.affected, -1);
    assert_string_equal(c.db->adapter->column_name(&c, &op, 15), "p");
    assert_string_equal(c.db->adapter->column_name(&c, &op, 16), "");
    assert_int_equal(column(&c, &op, 0).type, DBM_TYPE_NULL);
    assert_int_equal(column(&c, &op, 1).as.integer, INT64_MIN);
    assert_int_equal(column(&c, &op, 2).as.integer, INT64_MAX);
    assert_int_equal(column(&c, &op, 3).as.integer, INT64_MAX);
    out = column(&c, &op, 4);
    assert_int_equal(out.type, DBM_TYPE_DOUBLE);
    assert_true(out.as.real > 0.0999999 && out.as.real < 0.1000001);
    out = column(&c, &op, 5);
    assert_true(out.type == DBM_TYPE_DOUBLE && out.as.real < -1e308);
    assert_int_equal(column(&c, &op, 6).as.integer, 1);
    out = column(&c, &op, 7);
    assert_int_equal(out.type, DBM_TYPE_TEXT);
    assert_int_equal(out.as.text.size, sizeof text - 1);
    assert_memory_equal(out.as.text.data, text, sizeof text); /* its NUL included */
    assert_string_equal(column(&c, &op, 8).as.text.data, "abc");
    out = column(&c, &op, 9);
    assert_int_equal(out.type, DBM_TYPE_TEXT);
    assert_int_equal(out.as.text.size, 0);
    assert_string_equal(out.as.text.data, "");
    out = column(&c, &op, 10);
    assert_int_equal(out.type, DBM_TYPE_BLOB);
    assert_int_equal(out.as.text.size, 3);
    assert_memory_equal(out.as.text.data, "\0\1\2", 3);
    out = column(&c, &op, 11);
    assert_int_equal(out.type, DBM_TYPE_BLOB);
    assert_int_equal(out.as.text.size, 0);
    assert_non_null(out.as.text.data);
    assert_string_equal(column(&c, &op, 12).as.text.data, "1.10");
    assert_string_equal(column(&c, &op, 13).as.text.data, "2024-02-29 12:34:56.789012");
    assert_string_equal(column(&c, &op, 14).as.text.data, "123e4567-e89b-12d3-a456-426614174000");
    assert_string_equal(column(&c, &op, 15).as.text.data, "{\"a\":1}");
    assert_int_equal(next(&c, &op), DBM_DONE);
    assert_int_equal(next(&c, &op), DBM_DONE); /* and does not run again */
    finish(&c, &op);
    finish(&c, &op);
    unprepare(&c, &p);
    shut(&c);
}

static void test_values_refused(void **state) {
    dbm_value v[2];
    double zero = 0.0;
    dbm_connection c;
    dbm_prepared p;
    dbm_op op;
    (void)state;
    open_on(fx.db, &c);
    run(&c, "CREATE TABLE v(a, b)");
    assert_int_equal(prepare(&c, &p, "INSERT INTO v VALUES (?, ?)", 2), DBM_OK);
    v[0] = dbm_int(1);
    v[1] = dbm_uint((uint64_t)INT64_MAX + 1);
    assert_int_equal(start(&c, &op, &p, v, 2), DBM_E_RANGE);
    assert_says("parameter 2 is 9223372036854775808");
    v[1] = dbm_double(zero / zero);
    assert_int_equal(start(&c, &op, &p, v, 2), DBM_E_RANGE);
    assert_says("parameter 2 is not a number");
    v[1].type = DBM_TYPE_INVALID;
    assert_int_equal(start(&c, &op, &p, v, 2), DBM_E_MISUSE);
    assert_int_equal(start(&c, &op, &p, v, 1), DBM_E_RANGE);
    assert_says("2 placeholders, and 1 values");
    (void)sqlite3_limit(native_of(&c), SQLITE_LIMIT_LENGTH, 100);
    v[1] = dbm_textn("0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
                     "0123456789", 110);
    assert_int_equal(start(&c, &op, &p, v, 2), DBM_E_LIMIT);
    assert_says("parameter 2 has 110 bytes");
    v[1] = dbm_int(2);
    assert_int_equal(start(&c, &op, &p, v, 2), DBM_OK); /* none of it did harm */
    unprepare(&c, &p);
    assert_int_equal(number(&c, "SELECT count(*) FROM v"), 1);
    shut(&c);
}

/* ---- what a statement did -------------------------------------------------------------------------------------------------- */

static dbm_op result_of(dbm_connection *c, const char *sql) {
    dbm_op op;
    if (run_until(c, sql, INT64_MAX, &op) != DBM_OK) fail_msg("%s: %s", sql, message());
    return op;
}

static void test_affected_and_last_id(void **state) {
    dbm_connection c;
    dbm_op op;
    (void)state;
    open_on(fx.db, &c);
    assert_int_equal(result_of(&c, "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE)").affected, 0);
    run(&c, "CREATE TABLE w(a PRIMARY KEY) WITHOUT ROWID");
    op = result_of(&c, "INSERT INTO t(a) VALUES (1), (2), (3)");
    assert_int_equal(op.affected, 3);
    assert_int_equal(op.last_id, 3);
    op = result_of(&c, "UPDATE t SET a = a + 10 WHERE id > 1");
    assert_int_equal(op.affected, 2);
    assert_int_equal(op.last_id, 0);
    assert_int_equal(result_of(&c, "UPDATE t SET a = 1 WHERE id > 99").affected, 0);
    op = result_of(&c, "CREATE TABLE u AS SELECT * FROM t"); /* not what was affected before */
    assert_int_equal(op.affected, 0);
    op = result_of(&c, "INSERT INTO t(a) VALUES (1) ON CONFLICT DO NOTHING");
    assert_int_equal(op.affected, 0);
    assert_int_equal(op.last_id, 0);
    op = result_of(&c, "INSERT INTO w VALUES (1)");
    assert_int_equal(op.affected, 1);
    assert_int_equal(op.last_id, 0);
    /* SQL itself still sees the last key, also from within an INSERT. */
    assert_int_equal(number(&c, "SELECT last_insert_rowid()"), 3);
    op = result_of(&c, "INSERT INTO t(id, a) VALUES (last_insert_rowid() + 40, 'x')");
    assert_int_equal(op.last_id, 43);
    op = result_of(&c, "/* c */ -- d\n WITH x(n) AS (VALUES (7)) INSERT INTO t(id) SELECT n FROM x");
    assert_int_equal(op.last_id, 7);
    assert_int_equal(result_of(&c, "DELETE FROM t").affected, 6 - 1);
    if (sqlite3_libversion_number() >= 3028000) assert_int_equal(result_of(&c, "EXPLAIN DELETE FROM t").affected, -1);
    assert_int_equal(result_of(&c, "PRAGMA user_version").affected, -1);
    shut(&c);
}

static bool has_returning(void) { return sqlite3_libversion_number() >= 3035000; }

static void test_returning(void **state) {
    dbm_connection c, d;
    dbm_prepared p;
    dbm_op op;
    (void)state;
    if (!has_returning()) return;
    open_on(fx.db, &c);
    open_on(fx.db, &d);
    run(&c, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, parent REFERENCES t(id))");
    assert_int_equal(prepare(&c, &p, "INSERT INTO t(a) VALUES ('one'), ('two'), ('three') RETURNING id, a", 0), DBM_OK);
    assert_true(p.writes);
    assert_true(p.returns_rows);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    assert_true(op.row);
    assert_int_equal(op.affected, 3);
    assert_int_equal(op.last_id, 3);
    assert_int_equal(op.columns, 2);
    /* It is done already, also for others, though one row of three was read. */
    assert_int_equal(number(&d, "SELECT count(*) FROM t"), 3);
    run(&d, "DELETE FROM t WHERE id = 2");
    assert_string_equal(column(&c, &op, 1).as.text.data, "one");
    assert_int_equal(hold(&c, &op, 0), DBM_OK);
    assert_int_equal(next(&c, &op), DBM_OK);
    assert_string_equal(column(&c, &op, 1).as.text.data, "two");
    assert_string_equal(c.db->adapter->column_name(&c, &op, 1), "a");
    finish(&c, &op);
    unprepare(&c, &p);
    /* What SQLite checks after the last row is a failure of the statement. */
    assert_int_equal(prepare(&c, &p, "INSERT INTO t(parent) VALUES (77) RETURNING id", 0), DBM_OK);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_E_CONSTRAINT);
    assert_null(op.result);
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_FOREIGN_KEY);
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_E_CONSTRAINT);
    assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    unprepare(&c, &p);
    assert_int_equal(prepare(&c, &p, "UPDATE t SET a = 'x' WHERE id > 99 RETURNING id", 0), DBM_OK);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    assert_false(op.row);
    assert_int_equal(op.affected, 0);
    assert_int_equal(next(&c, &op), DBM_DONE);
    finish(&c, &op);
    unprepare(&c, &p);
    assert_int_equal(number(&d, "SELECT count(*) FROM t"), 2);
    shut(&d);
    shut(&c);
}

/* ---- failures -------------------------------------------------------------------------------------------------------------- */

static void violates(dbm_connection *c, const char *sql, dbm_constraint kind, const char *name, const char *sqlstate) {
    if (try_run(c, sql) != DBM_E_CONSTRAINT) fail_msg("%s: %s", sql, message());
    assert_int_equal(dbm_last_error()->constraint, kind);
    assert_string_equal(dbm_last_error()->constraint_name, name);
    assert_string_equal(dbm_last_error()->sqlstate, sqlstate);
    assert_int_equal(dbm_last_error()->native_code & 0xff, SQLITE_CONSTRAINT);
    assert_false(dbm_last_error()->retryable);
    assert_string_equal(dbm_last_error()->database, "default");
}

static void test_constraints(void **state) {
    dbm_connection c;
    (void)state;
    open_on(fx.db, &c);
    run(&c, "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT UNIQUE, age NOT NULL DEFAULT 1, a, b, "
            "CONSTRAINT adult CHECK (age > 0), UNIQUE (a, b))");
    run(&c, "CREATE TABLE k(code TEXT PRIMARY KEY) WITHOUT ROWID");
    run(&c, "CREATE TABLE f(p REFERENCES p(id), q REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)");
    run(&c, "CREATE TRIGGER no BEFORE DELETE ON p BEGIN SELECT RAISE(ABORT, 'never: delete'); END");
    run(&c, "INSERT INTO p(name, a, b) VALUES ('Ada', 1, 2)");
    run(&c, "INSERT INTO k VALUES ('x')");
    violates(&c, "INSERT INTO p(name) VALUES ('Ada')", DBM_CONSTRAINT_UNIQUE, "p.name", "23505");
    violates(&c, "INSERT INTO p(a, b) VALUES (1, 2)", DBM_CONSTRAINT_UNIQUE, "p.a, p.b", "23505");
    violates(&c, "INSERT INTO p(id) VALUES (1)", DBM_CONSTRAINT_PRIMARY_KEY, "p.id", "23505");
    violates(&c, "INSERT INTO k VALUES ('x')", DBM_CONSTRAINT_PRIMARY_KEY, "k.code", "23505");
    violates(&c, "INSERT INTO p(age) VALUES (NULL)", DBM_CONSTRAINT_NOT_NULL, "p.age", "23502");
    violates(&c, "INSERT INTO p(age) VALUES (0)", DBM_CONSTRAINT_CHECK, "adult", "23514");
    violates(&c, "INSERT INTO f(p) VALUES (9)", DBM_CONSTRAINT_FOREIGN_KEY, "", "23503");
    violates(&c, "DELETE FROM p", DBM_CONSTRAINT_OTHER, "", "23000");
    assert_string_equal(message(), "never: delete");
    /* Deferred: at COMMIT, and the transaction stays open. */
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    run(&c, "INSERT INTO f(q) VALUES (9)");
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_E_CONSTRAINT);
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_FOREIGN_KEY);
    assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    assert_int_equal(number(&c, "SELECT count(*) FROM f"), 0);
    shut(&c);
}

static void refuses(dbm_connection *c, const char *sql, int parameters, dbm_status status, const char *sqlstate, const char *says) {
    dbm_prepared p;
    if (prepare(c, &p, sql, parameters) != status) fail_msg("%s: %s", sql, message());
    assert_null(p.data);
    assert_string_equal(dbm_last_error()->sqlstate, sqlstate);
    assert_says(says);
}

/* From the second one on, a statement that writes goes the short way: what it answers is the same. */
static void test_writes_again(void **state) {
    static const char insert[] = "INSERT INTO t (a, b, c) VALUES (?, ?, ?)";
    dbm_status rc = DBM_E_MISUSE;
    dbm_row *row;
    (void)state;
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        dbm_statement *st;
        dbm_exec(s, "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE, b, c)");
        for (int i = 0; i < 3; i++) {
            assert_int_equal(dbm_exec(s, insert, i, i == 1 ? (const char *)NULL : "text", 0.5 * i), DBM_OK);
            assert_int_equal(dbm_affected(s), 1);
            assert_int_equal(dbm_last_id(s), i + 1);
        }
        assert_int_equal(dbm_exec(s, "UPDATE t SET c = ? WHERE a > ?", 7, 100), DBM_OK);
        assert_int_equal(dbm_exec(s, "UPDATE t SET c = ? WHERE a > ?", 7, 100), DBM_OK);
        assert_int_equal(dbm_affected(s), 0);
        assert_int_equal(dbm_prepare(s, insert, &st), DBM_OK);
        assert_int_equal(dbm_stmt_exec(st, 3L, "more", 1.5), DBM_OK);
        assert_int_equal(dbm_stmt_exec(st, (int64_t)4, dbm_null(), 1.5), DBM_OK); /* the general way */
        assert_int_equal(dbm_last_id(s), 5);
        assert_int_equal(dbm_query_one(s, &row, "SELECT b FROM t WHERE a = ?", 3), DBM_OK);
        assert_int_equal(dbm_exec(s, insert, 5, dbm_row_text(row, 0), 0.0), DBM_OK); /* a text of the row that this ends */
        DBM_EACH(s, each, "SELECT a FROM t WHERE a < ?", 2) assert_int_equal(dbm_exec(s, insert, 10 + dbm_row_int(each, 0), "in a loop", 0.0), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "SELECT count(*), sum(c), count(b), max(b) FROM t WHERE a < 10"), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 6);
        assert_int_equal((int)(dbm_row_double(row, 1) * 2), 9); /* 0, 0.5, 1, 1.5, 1.5, 0 */
        assert_int_equal(dbm_row_int(row, 2), 4);
        assert_string_equal(dbm_row_text(row, 3), "text");
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        assert_int_equal(dbm_exec(s, insert, 20, "text", 0.0), DBM_OK);
        assert_int_equal(dbm_exec(s, insert, 20, "text", 0.0), DBM_E_CONSTRAINT);
        assert_says("[SQL: INSERT INTO t");
        assert_non_null(strstr(dbm_last_error()->site, "test_sqlite_adapter.c:"));
        assert_int_equal(dbm_exec(s, insert, 21, "text", 0.0), DBM_E_CONSTRAINT); /* it sticks */
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        assert_int_equal(dbm_exec(s, insert, 20, "text", 0.0), DBM_OK);
        assert_int_equal(dbm_exec(s, insert, 21, "text"), DBM_E_MISUSE);
        assert_says("3 placeholders");
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    assert_int_equal(dbm_query_one(fx.db, &row, "SELECT count(*) FROM t"), DBM_OK);
    assert_int_equal(dbm_row_int(row, 0), 8);
    dbm_row_end(row);
}

/* A statement whose row is in hand is executed again: that row ends, whatever comes of it. */
static void test_reads_again(void **state) {
    static const char text[] = "SELECT b FROM t WHERE a = ?", fails[] = "SELECT abs(?)", *const all[] = { "one", "two", "three" };
    dbm_status rc = DBM_E_MISUSE;
    dbm_row *row, *other;
    (void)state;
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        dbm_statement *st;
        dbm_exec(s, "CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
        dbm_exec(s, "CREATE TABLE u (a)");
        dbm_exec(s, "INSERT INTO t VALUES (1, 'one'), (2, x'74776f'), (3, 'three')"); /* the second one is a blob, copied to be a text */
        assert_int_equal(dbm_prepare(s, text, &st), DBM_OK);
        for (int way = 0; way < 4; way++) {
            for (int i = 1; i <= 3; i++) {
                assert_int_equal(way % 2 == 0 ? dbm_query_one(s, &row, text, i) : dbm_stmt_query_one(st, &row, i), DBM_OK);
                assert_string_equal(dbm_row_text(row, 0), all[i - 1]);
                assert_int_equal(dbm_row_columns(row), 1);
                if (way >= 2) assert_int_equal(dbm_query_one(s, &other, "SELECT count(*), ? FROM t", i), DBM_OK);
            }
            assert_int_equal(way % 2 == 0 ? dbm_query_one(s, &row, text, 4) : dbm_stmt_query_one(st, &row, 4), DBM_E_NOT_FOUND);
            assert_null(row);
            assert_int_equal(way % 2 == 0 ? dbm_query_one(s, &row, text, 3) : dbm_stmt_query_one(st, &row, 3), DBM_OK);
            assert_string_equal(dbm_row_text(row, 0), "three");
            DBM_EACH(s, each, "SELECT a FROM t") { /* and while other rows are open */
                assert_int_equal(dbm_query_one(s, &row, text, dbm_row_int(each, 0)), DBM_OK);
                assert_string_equal(dbm_row_text(row, 0), all[dbm_row_int(each, 0) - 1]);
            }
        }
        assert_int_equal(dbm_query_one(s, &row, text, 1), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, text, 2), DBM_OK);
        assert_int_equal(dbm_exec(s, "DROP TABLE u"), DBM_OK); /* SQLite refuses that while anything is read */
    }
    assert_int_equal(rc, DBM_OK);
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        for (int i = 0; i < 3; i++) assert_int_equal(dbm_query_one(s, &row, fails, -i), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, fails, INT64_MIN), DBM_E_SQL);
        assert_null(row);
        assert_says("integer overflow");
    }
    assert_int_equal(rc, DBM_E_SQL);
    DBM_SESSION_RC(fx.mgr, "default", s, &rc) {
        assert_int_equal(dbm_query_one(s, &row, fails, -5), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 5);
        assert_int_equal(dbm_exec(s, "DROP TABLE t"), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
}

static void test_statements_refused(void **state) {
    dbm_connection c;
    dbm_prepared p;
    (void)state;
    open_on(fx.db, &c);
    run(&c, "CREATE TABLE t(a)");
    refuses(&c, "SELEC 1", 0, DBM_E_SQL, "42601", "near \"SELEC\": syntax error");
    refuses(&c, "SELECT (", 0, DBM_E_SQL, "42601", "incomplete input");
    refuses(&c, "SELECT * FROM nowhere", 0, DBM_E_SQL, "42P01", "no such table: nowhere");
    refuses(&c, "SELECT b FROM t", 0, DBM_E_SQL, "42703", "no such column: b");
    refuses(&c, "SELECT f(1)", 0, DBM_E_SQL, "42883", "no such function");
    refuses(&c, "CREATE TABLE t(a)", 0, DBM_E_SQL, "42P07", "already exists");
    refuses(&c, "", 0, DBM_E_MISUSE, "42601", "empty");
    refuses(&c, " -- nothing\n/* at all", 0, DBM_E_MISUSE, "42601", "empty");
    refuses(&c, "SELECT 1; SELECT 2", 0, DBM_E_MISUSE, "42601", "one statement at a time; use dbm_script");
    refuses(&c, "SELECT :name", 0, DBM_E_MISUSE, "42P02", "dbm_named(\"name\", value)");
    refuses(&c, "SELECT @name, ?", 1, DBM_E_MISUSE, "42P02", "write :name");
    refuses(&c, "SELECT ?2", 1, DBM_E_MISUSE, "42P02", "?2 is numbered");
    refuses(&c, "SELECT ?", 2, DBM_E_MISUSE, "42P02", "1 parameters");
#if SQLITE_VERSION_NUMBER >= 3038000
    refuses(&c, "SELECT 1 FORM t", 0, DBM_E_SQL, "42601", "(at byte 15 of the statement)");
#endif
    assert_int_equal(prepare(&c, &p, "SELECT 1 ; -- the end\n ; /* really */", 0), DBM_OK);
    unprepare(&c, &p);
    assert_int_equal(try_run(&c, "INSERT INTO t VALUES (abs(-9223372036854775807 - 1))"), DBM_E_SQL);
    assert_says("integer overflow");
    shut(&c);
}

/* ---- transactions ---------------------------------------------------------------------------------------------------------- */

static void test_transactions(void **state) {
    dbm_connection c;
    dbm_op op;
    int i;
    (void)state;
    open_on(fx.db, &c);
    run(&c, "CREATE TABLE t(a UNIQUE)");
    for (i = 0; i < 3; i++) {
        assert_int_equal(begin(&c, i != 1, INT64_MAX), DBM_OK);
        run(&c, i == 0 ? "INSERT INTO t VALUES (0)" : i == 1 ? "INSERT INTO t VALUES (1)" : "INSERT INTO t VALUES (2)");
        assert_int_equal(plain(&c, i == 1 ? DBM_OP_ROLLBACK : DBM_OP_COMMIT, INT64_MAX), DBM_OK);
    }
    assert_int_equal(number(&c, "SELECT count(*) FROM t"), 2);
    assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK); /* nothing to do */
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_E_ROLLED_BACK);
    /* A statement that rolls everything back by itself: the COMMIT must not say that all is well. */
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    run(&c, "INSERT INTO t VALUES (3)");
    assert_int_equal(try_run(&c, "INSERT OR ROLLBACK INTO t VALUES (0)"), DBM_E_CONSTRAINT);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_E_ROLLED_BACK);
    assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    assert_int_equal(number(&c, "SELECT count(*) FROM t"), 2);
    /* Savepoints, deeper than those that are kept prepared. */
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    for (i = 1; i <= 7; i++) {
        char sql[60];
        assert_int_equal(point(&c, DBM_OP_SAVEPOINT, i), DBM_OK);
        (void)snprintf(sql, sizeof sql, "INSERT INTO t VALUES (%d)", 100 + i);
        run(&c, sql);
    }
    assert_int_equal(point(&c, DBM_OP_RELEASE, 7), DBM_OK);
    assert_int_equal(point(&c, DBM_OP_ROLLBACK_TO, 6), DBM_OK);
    assert_int_equal(point(&c, DBM_OP_RELEASE, 6), DBM_E_SQL);
    assert_string_equal(dbm_last_error()->sqlstate, "3B001");
    assert_int_equal(point(&c, DBM_OP_ROLLBACK_TO, 3), DBM_OK);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_OK);
    assert_int_equal(number(&c, "SELECT count(*) FROM t WHERE a > 100"), 2);
    assert_int_equal(point(&c, DBM_OP_SAVEPOINT, 0), DBM_E_MISUSE);
    /* What SQLite can't do is said, and a read-only transaction is one. */
    dbm__op_init(&op, DBM_OP_BEGIN, INT64_MAX);
    op.isolation = DBM_READ_COMMITTED;
    assert_int_equal(dbm__op_run(&c, &op), DBM_E_UNSUPPORTED);
    assert_says("READ UNCOMMITTED");
    dbm__op_init(&op, DBM_OP_BEGIN, INT64_MAX);
    op.isolation = DBM_SERIALIZABLE;
    op.read_only = true;
    assert_int_equal(dbm__op_run(&c, &op), DBM_OK);
    assert_int_equal(try_run(&c, "DELETE FROM t"), DBM_E_READ_ONLY);
    assert_int_equal(number(&c, "SELECT count(*) FROM t"), 4);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_OK);
    run(&c, "DELETE FROM t");
    shut(&c);
}

static void test_snapshot_conflict(void **state) {
    dbm_connection c, d;
    (void)state;
    open_on(fx.db, &c);
    open_on(fx.db, &d);
    run(&c, "CREATE TABLE t(a)");
    assert_int_equal(begin(&c, false, INT64_MAX), DBM_OK);
    assert_int_equal(number(&c, "SELECT count(*) FROM t"), 0);
    run(&d, "INSERT INTO t VALUES (1)");
    assert_int_equal(try_run(&c, "INSERT INTO t VALUES (2)"), DBM_E_SERIALIZATION);
    assert_int_equal(dbm_last_error()->native_code, SQLITE_BUSY_SNAPSHOT);
    assert_string_equal(dbm_last_error()->sqlstate, "40001");
    assert_true(dbm_last_error()->retryable);
    assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    run(&c, "INSERT INTO t VALUES (2)");
    shut(&d);
    shut(&c);
}

/* ---- locks and time -------------------------------------------------------------------------------------------------------- */

static dbm_database *impatient(const char *name, const char *file, const char *busy, const char *journal) {
    dbm_option options[2];
    dbm_database *db;
    options[0].name = "busy_timeout";
    options[0].value = busy;
    options[1].name = "journal_mode";
    options[1].value = journal;
    db = add(name, test_dir_url(&fx.dir, file), options, 2);
    if (db == NULL) fail_msg("%s", message());
    return db;
}

static void test_locked(void **state) {
    dbm_database *db = impatient("b", "b.db", "60ms", "auto");
    dbm_connection c, d;
    int64_t began;
    (void)state;
    open_on(db, &c);
    open_on(db, &d);
    run(&c, "CREATE TABLE t(a)");
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    began = dbm__now(db->host);
    assert_int_equal(begin(&d, true, INT64_MAX), DBM_E_TIMEOUT);
    assert_true(dbm__now(db->host) - began >= 60000);
    assert_true(dbm_last_error()->retryable);
    assert_says("database is locked by another process or connection: waited");
    assert_says("(busy_timeout)");
    began = dbm__now(db->host);
    assert_int_equal(begin(&d, true, in_ms(20)), DBM_E_TIMEOUT);
    assert_true(dbm__now(db->host) - began < 60000);
    assert_says("until the deadline");
    assert_int_equal(try_run(&d, "INSERT INTO t VALUES (1)"), DBM_E_TIMEOUT); /* by itself too */
    /* A reader that comes second waits as well, though SQLite would not. */
    assert_int_equal(begin(&d, false, INT64_MAX), DBM_OK);
    assert_int_equal(number(&d, "SELECT count(*) FROM t"), 0);
    began = dbm__now(db->host);
    assert_int_equal(try_run(&d, "INSERT INTO t VALUES (1)"), DBM_E_TIMEOUT);
    assert_true(dbm__now(db->host) - began >= 60000);
    assert_int_equal(plain(&d, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    shut(&d);
    shut(&c);
}

typedef struct later { dbm_connection *c; dbm_op_kind kind; int ms; dbm_status status; } later;
static void *do_later(void *ud) {
    later *l = (later *)ud;
    dbm__sleep_us(l->ms * 1000);
    if (l->kind == DBM_OP_NATIVE) l->c->db->adapter->cancel(l->c);
    else l->status = plain(l->c, l->kind, INT64_MAX);
    return NULL;
}

static void test_waits_for_the_writer(void **state) {
    dbm_connection c, d;
    pthread_t thread;
    later l;
    (void)state;
    open_on(fx.db, &c);
    open_on(fx.db, &d);
    run(&c, "CREATE TABLE t(a)");
    l.c = &d;
    l.ms = 30;
    for (l.kind = DBM_OP_COMMIT; l.kind <= DBM_OP_ROLLBACK; l.kind = (dbm_op_kind)(l.kind + 1)) {
        assert_int_equal(begin(&c, false, INT64_MAX), DBM_OK);
        (void)number(&c, "SELECT count(*) FROM t");
        assert_int_equal(begin(&d, true, INT64_MAX), DBM_OK);
        run(&d, "INSERT INTO t VALUES (1)");
        assert_int_equal(pthread_create(&thread, NULL, do_later, &l), 0);
        /* The writer that commits makes a conflict; the one that rolls back does not. */
        assert_int_equal(try_run(&c, "INSERT INTO t VALUES (2)"), l.kind == DBM_OP_COMMIT ? DBM_E_SERIALIZATION : DBM_OK);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(l.status, DBM_OK);
        assert_int_equal(plain(&c, l.kind == DBM_OP_COMMIT ? DBM_OP_ROLLBACK : DBM_OP_COMMIT, INT64_MAX), DBM_OK);
    }
    assert_int_equal(number(&c, "SELECT sum(a) FROM t"), 3);
    shut(&d);
    shut(&c);
}

static void test_commit_waits_for_readers(void **state) {
    dbm_database *db = impatient("r", "r.db", "50ms", "delete");
    dbm_connection c, d;
    dbm_prepared p;
    dbm_op op;
    (void)state;
    open_on(db, &c);
    open_on(db, &d);
    assert_true(c.readers_block);
    run(&c, "CREATE TABLE t(a)");
    run(&c, "INSERT INTO t VALUES (1), (2)");
    assert_int_equal(prepare(&d, &p, "SELECT a FROM t", 0), DBM_OK);
    assert_int_equal(start(&d, &op, &p, NULL, 0), DBM_OK);
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    run(&c, "INSERT INTO t VALUES (3)");
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_E_TIMEOUT);
    assert_true(dbm_last_error()->retryable);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, in_ms(10)), DBM_E_TIMEOUT);
    finish(&d, &op);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_OK); /* it was still open */
    assert_int_equal(number(&d, "SELECT count(*) FROM t"), 3);
    /* Two that have read and want to write: waiting would be a deadlock, so SQLite does not, and neither do we. */
    assert_int_equal(begin(&c, false, INT64_MAX), DBM_OK);
    (void)number(&c, "SELECT count(*) FROM t");
    assert_int_equal(begin(&d, false, INT64_MAX), DBM_OK);
    (void)number(&d, "SELECT count(*) FROM t");
    run(&c, "INSERT INTO t VALUES (4)");
    assert_int_equal(try_run(&d, "INSERT INTO t VALUES (5)"), DBM_E_TIMEOUT);
    assert_true(dbm_last_error()->retryable);
    assert_int_equal(plain(&d, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_OK);
    unprepare(&d, &p);
    shut(&d);
    shut(&c);
}

static const char endless[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

static void test_deadline(void **state) {
    dbm_connection c;
    dbm_prepared p;
    dbm_op op;
    dbm_status status;
    int i;
    (void)state;
    open_on(fx.db, &c);
    assert_int_equal(run_until(&c, endless, in_ms(30), NULL), DBM_E_TIMEOUT);
    assert_string_equal(dbm_last_error()->sqlstate, "57014");
    assert_says("deadline");
    assert_int_equal(number(&c, "SELECT 1"), 1);
    /* While rows are read. */
    assert_int_equal(prepare(&c, &p, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                             "SELECT i FROM n WHERE i < 3 OR i > 1e15", 0), DBM_OK);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    op.deadline_us = in_ms(30);
    assert_int_equal(next(&c, &op), DBM_OK);
    assert_int_equal(column(&c, &op, 0).as.integer, 2);
    assert_int_equal(next(&c, &op), DBM_E_TIMEOUT);
    assert_int_equal(next(&c, &op), DBM_DONE);
    finish(&c, &op);
    unprepare(&c, &p);
    /* Long past, and yet: what was done is never reported as not done, nor the other way round. */
    run(&c, "CREATE TABLE t(a)");
    assert_int_equal(prepare(&c, &p, "INSERT INTO t VALUES (1)", 0), DBM_OK);
    for (i = 0; i < 500; i++) {
        int64_t before = number(&c, "SELECT count(*) FROM t");
        dbm__op_init(&op, DBM_OP_EXECUTE, 1);
        op.prepared = &p;
        status = dbm__op_run(&c, &op);
        assert_int_equal(number(&c, "SELECT count(*) FROM t"), before + (status == DBM_OK));
        assert_int_equal(begin(&c, true, 1), DBM_OK);
        assert_int_equal(plain(&c, DBM_OP_COMMIT, 1), DBM_OK);
    }
    unprepare(&c, &p);
    shut(&c);
}

static void test_cancel(void **state) {
    dbm_connection c, d;
    pthread_t thread;
    later l;
    (void)state;
    open_on(fx.db, &c);
    open_on(fx.db, &d);
    c.db->adapter->cancel(&c); /* while nothing runs: nothing happens */
    assert_int_equal(number(&c, "SELECT 1"), 1);
    l.c = &c;
    l.kind = DBM_OP_NATIVE;
    l.ms = 20;
    assert_int_equal(pthread_create(&thread, NULL, do_later, &l), 0);
    assert_int_equal(try_run(&c, endless), DBM_E_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_says("cancelled by dbm_cancel");
    assert_int_equal(number(&c, "SELECT 1"), 1);
    /* While it waits for a lock. */
    run(&c, "CREATE TABLE t(a)");
    assert_int_equal(begin(&d, true, INT64_MAX), DBM_OK);
    assert_int_equal(pthread_create(&thread, NULL, do_later, &l), 0);
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_E_CANCELLED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(plain(&d, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    /* Under a statement that writes, in a transaction, with another query open: ROLLBACK works all the same. */
    {
        dbm_prepared p;
        dbm_op op;
        run(&c, "INSERT INTO t VALUES (1), (2)");
        assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
        assert_int_equal(prepare(&c, &p, "SELECT a FROM t", 0), DBM_OK);
        assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
        assert_int_equal(pthread_create(&thread, NULL, do_later, &l), 0);
        assert_int_equal(try_run(&c, "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"),
                         DBM_E_CANCELLED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
        finish(&c, &op);
        unprepare(&c, &p);
        assert_int_equal(number(&c, "SELECT count(*) FROM t"), 2);
    }
    shut(&d);
    shut(&c);
}

/* The session is cancelled, but cancel() came when there was nothing to stop: what can be stopped is, and what ends a transaction is not. */
static void test_cancelled_before(void **state) {
    dbm_database *db = impatient("r", "r.db", "60ms", "delete");
    dbm_connection c, d;
    dbm_prepared p;
    dbm_op op;
    int64_t began;
    (void)state;
    open_on(db, &c);
    open_on(db, &d);
    run(&c, "CREATE TABLE t(a)");
    run(&c, "INSERT INTO t VALUES (1), (2)");
    dbm__store(&c.cancelled, 1);
    assert_int_equal(try_run(&c, endless), DBM_E_CANCELLED);
    assert_says("cancelled by dbm_cancel");
    assert_int_equal(begin(&d, true, INT64_MAX), DBM_OK);
    began = dbm__now(db->host);
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_E_CANCELLED);
    assert_true(dbm__now(db->host) - began < 60000); /* it did not wait */
    assert_int_equal(plain(&d, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    /* A COMMIT waits for a reader as long as it may, and is done then. */
    assert_int_equal(prepare(&d, &p, "SELECT a FROM t", 0), DBM_OK);
    assert_int_equal(start(&d, &op, &p, NULL, 0), DBM_OK);
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    run(&c, "INSERT INTO t VALUES (3)");
    began = dbm__now(db->host);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_E_TIMEOUT);
    assert_true(dbm__now(db->host) - began >= 60000);
    finish(&d, &op);
    assert_int_equal(plain(&c, DBM_OP_COMMIT, INT64_MAX), DBM_OK);
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    run(&c, "INSERT INTO t VALUES (4)");
    assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    assert_int_equal(number(&d, "SELECT count(*) FROM t"), 3);
    unprepare(&d, &p);
    dbm__store(&c.cancelled, 0);
    assert_int_equal(number(&c, "SELECT count(*) FROM t"), 3);
    shut(&d);
    shut(&c);
}

/* ---- rows while others write ------------------------------------------------------------------------------------------------ */

static void fill(dbm_connection *c, int rows) {
    char sql[200];
    run(c, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, n)");
    (void)snprintf(sql, sizeof sql, "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) "
                   "INSERT INTO t SELECT i, 'name ' || i, CASE i %% 3 WHEN 0 THEN NULL WHEN 1 THEN i / 2.0 ELSE x'00ff' END FROM s", rows);
    run(c, sql);
}

/* Each row inserts another into the table being read: it ends, and each text stays valid until the next row. */
static void test_hold(void **state) {
    dbm_connection c;
    dbm_prepared p, insert;
    dbm_value from = dbm_int(0);
    dbm_op op;
    int touch;
    (void)state;
    open_on(fx.db, &c);
    fill(&c, 300);
    assert_int_equal(prepare(&c, &insert, "INSERT INTO t(name) VALUES ('new')", 0), DBM_OK);
    for (touch = 0; touch < 4; touch++) { /* the row in hand untouched; touched; the second row; the last one */
        int64_t rows = number(&c, "SELECT count(*) FROM t"), seen = 0, before = 0;
        assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
        assert_int_equal(prepare(&c, &p, "SELECT name, id, n, upper(name) FROM t WHERE id > ? ORDER BY id DESC", 1), DBM_OK);
        assert_int_equal(start(&c, &op, &p, &from, 1), DBM_OK);
        do {
            dbm_op write;
            const char *name = NULL, *upper = NULL;
            char copy[40];
            int64_t id;
            seen++;
            if (touch != 0) {
                name = column(&c, &op, 0).as.text.data;
                upper = column(&c, &op, 3).as.text.data;
                (void)snprintf(copy, sizeof copy, "%s", name);
            }
            if (touch < 2 || (touch == 2 && seen >= 2) || (touch == 3 && seen == rows)) {
                assert_int_equal(hold(&c, &op, 1 << 20), DBM_OK);
                assert_int_equal(start(&c, &write, &insert, NULL, 0), DBM_OK);
                run(&c, "UPDATE t SET name = 'changed' WHERE id = (SELECT max(id) FROM t)");
            }
            id = column(&c, &op, 1).as.integer;
            assert_true(seen == 1 || id < before);
            before = id;
            if (name != NULL) {
                assert_string_equal(name, copy);
                assert_string_equal(column(&c, &op, 0).as.text.data, copy);
                assert_int_equal(strlen(upper), strlen(copy));
            }
            if (id <= 300 && id % 3 == 0) assert_int_equal(column(&c, &op, 2).type, DBM_TYPE_NULL);
            if (id <= 300 && id % 3 == 1) assert_true(column(&c, &op, 2).as.real * 2 - (double)id < 0.001);
            if (id <= 300 && id % 3 == 2) assert_memory_equal(column(&c, &op, 2).as.text.data, "\0\xff", 2);
        } while (next(&c, &op) == DBM_OK);
        assert_int_equal(seen, rows);
        assert_int_equal(next(&c, &op), DBM_DONE);
        finish(&c, &op);
        unprepare(&c, &p);
        assert_int_equal(plain(&c, DBM_OP_ROLLBACK, INT64_MAX), DBM_OK);
    }
    unprepare(&c, &insert);
    shut(&c);
}

static void test_hold_limits(void **state) {
    dbm_connection c;
    dbm_prepared p;
    dbm_op op;
    int touch;
    (void)state;
    open_on(fx.db, &c);
    fill(&c, 1000);
    assert_int_equal(prepare(&c, &p, "SELECT name FROM t", 0), DBM_OK);
    for (touch = 0; touch < 2; touch++) {
        assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
        if (touch) assert_string_equal(column(&c, &op, 0).as.text.data, "name 1");
        assert_int_equal(hold(&c, &op, 10000), DBM_E_LIMIT);
        assert_says("row_buffer (10000 bytes; 1 rows are read");
        if (touch) assert_string_equal(column(&c, &op, 0).as.text.data, "name 1");
        finish(&c, &op);
        assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
        if (touch) assert_string_equal(column(&c, &op, 0).as.text.data, "name 1");
        assert_int_equal(hold(&c, &op, 200000), DBM_OK);
        assert_int_equal(hold(&c, &op, 0), DBM_OK); /* it is */
        finish(&c, &op); /* in the middle */
        assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
        if (touch) (void)column(&c, &op, 0);
        assert_int_equal(hold(&c, &op, 0), DBM_E_LIMIT);
        finish(&c, &op);
    }
    unprepare(&c, &p);
    /* At its end there is nothing to keep. */
    assert_int_equal(prepare(&c, &p, "SELECT name FROM t WHERE id = 1", 0), DBM_OK);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    (void)column(&c, &op, 0);
    assert_int_equal(hold(&c, &op, 0), DBM_OK); /* no more rows: no bytes */
    assert_string_equal(column(&c, &op, 0).as.text.data, "name 1");
    assert_int_equal(next(&c, &op), DBM_DONE);
    assert_int_equal(hold(&c, &op, 0), DBM_OK);
    finish(&c, &op);
    unprepare(&c, &p);
    /* Another run would give other rows: said, unless nothing of the row was read yet. */
    assert_int_equal(prepare(&c, &p, "SELECT name FROM t ORDER BY Random ()", 0), DBM_OK);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    (void)column(&c, &op, 0);
    assert_int_equal(hold(&c, &op, 1 << 20), DBM_E_UNSUPPORTED);
    assert_says("random()");
    finish(&c, &op);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    assert_int_equal(hold(&c, &op, 1 << 20), DBM_OK);
    finish(&c, &op);
    unprepare(&c, &p);
    shut(&c);
}

static void test_schema_changes(void **state) {
    dbm_connection c, d;
    dbm_prepared p;
    dbm_op op;
    (void)state;
    open_on(fx.db, &c);
    open_on(fx.db, &d);
    run(&c, "CREATE TABLE t(a)");
    run(&c, "INSERT INTO t VALUES (1), (2)");
    assert_int_equal(prepare(&c, &p, "SELECT * FROM t", 0), DBM_OK);
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    assert_int_equal(op.columns, 1);
    /* Dropping a table that is being read is a mistake, not a lock to wait for. */
    assert_int_equal(try_run(&c, "DROP TABLE t"), DBM_E_MISUSE);
    assert_says("still being read");
    finish(&c, &op);
    run(&d, "ALTER TABLE t ADD COLUMN b DEFAULT 'bee'");
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_OK);
    assert_int_equal(op.columns, 2);
    assert_string_equal(column(&c, &op, 1).as.text.data, "bee");
    assert_string_equal(c.db->adapter->column_name(&c, &op, 1), "b");
    assert_int_equal(hold(&c, &op, 1 << 20), DBM_OK);
    assert_int_equal(next(&c, &op), DBM_OK);
    assert_string_equal(column(&c, &op, 1).as.text.data, "bee");
    finish(&c, &op);
    run(&d, "DROP TABLE t");
    assert_int_equal(start(&c, &op, &p, NULL, 0), DBM_E_SQL);
    assert_string_equal(dbm_last_error()->sqlstate, "42P01");
    unprepare(&c, &p);
    shut(&d);
    shut(&c);
}

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

static void assert_journal(dbm_database *db, const char *mode) {
    dbm_connection c;
    char text[40];
    open_on(db, &c);
    text_of(&c, "PRAGMA journal_mode", text, sizeof text);
    assert_string_equal(text, mode);
    assert_int_equal(c.readers_block, strcmp(mode, "wal") != 0);
    assert_int_equal(number(&c, "PRAGMA foreign_keys"), 1);
    assert_int_equal(number(&c, "PRAGMA synchronous"), 2);
    shut(&c);
}

static void make_file(const char *name, const char *sql) {
    sqlite3 *raw = NULL;
    assert_int_equal(sqlite3_open(test_dir_file(&fx.dir, name), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(raw), SQLITE_OK);
}

static void test_journal_modes(void **state) {
    dbm_option option;
    dbm_connection c;
    char url[600];
    (void)state;
    assert_journal(fx.db, "wal");
    make_file("old.db", "CREATE TABLE t(a)");
    assert_journal(add("old", test_dir_url(&fx.dir, "old.db"), NULL, 0), "delete");
    make_file("was.db", "PRAGMA journal_mode = wal; CREATE TABLE t(a)");
    assert_journal(add("was", test_dir_url(&fx.dir, "was.db"), NULL, 0), "wal");
    (void)test_dir_write(&fx.dir, "empty.db", "");
    assert_journal(add("empty", test_dir_url(&fx.dir, "empty.db"), NULL, 0), "wal");
    option.name = "journal_mode";
    option.value = "Truncate";
    assert_journal(add("trunc", test_dir_url(&fx.dir, "trunc.db"), &option, 1), "truncate");
    option.value = "wal";
    assert_journal(add("conv", test_dir_url(&fx.dir, "old.db"), &option, 1), "wal");
    make_file("still.db", "CREATE TABLE t(a)");
    (void)snprintf(url, sizeof url, "%s?mode=ro", test_dir_url(&fx.dir, "still.db"));
    assert_int_equal(try_open(add("ro", url, &option, 1), &c, INT64_MAX), DBM_E_CONNECT);
    /* For reading only, as it is. */
    open_on(add("ro2", url, NULL, 0), &c);
    assert_int_equal(number(&c, "SELECT count(*) FROM t"), 0);
    assert_int_equal(try_run(&c, "INSERT INTO t VALUES (1)"), DBM_E_READ_ONLY);
    assert_says("mode=ro");
    assert_string_equal(dbm_last_error()->sqlstate, "25006");
    shut(&c);
    (void)snprintf(url, sizeof url, "%s?immutable=1&cache_size=-500", test_dir_url(&fx.dir, "was.db"));
    open_on(add("imm", url, NULL, 0), &c);
    assert_int_equal(number(&c, "SELECT count(*) FROM t"), 0);
    assert_int_equal(number(&c, "PRAGMA cache_size"), -500);
    shut(&c);
}

/* Many connections make the same new file at once. */
static void *open_new(void *ud) {
    dbm_connection c;
    dbm_status status = try_open((dbm_database *)ud, &c, INT64_MAX);
    if (status != DBM_OK) print_error("connect: %s\n", message());
    else if (c.readers_block) print_error("connect: not in WAL mode\n");
    if (status == DBM_OK) shut(&c);
    return status == DBM_OK && !c.readers_block ? NULL : ud;
}

static void test_new_file_race(void **state) {
    pthread_t threads[8];
    void *failed;
    int i, round;
    (void)state;
    for (round = 0; round < 5; round++) {
        char name[20];
        dbm_database *db;
        (void)snprintf(name, sizeof name, "race%d", round);
        db = add(name, test_dir_url(&fx.dir, name), NULL, 0);
        for (i = 0; i < 8; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_new, db), 0);
        for (i = 0; i < 8; i++) {
            assert_int_equal(pthread_join(threads[i], &failed), 0);
            assert_null(failed);
        }
    }
}

static void cannot_open(const char *name, const char *url, const char *says) {
    dbm_database *db = add(name, url, NULL, 0);
    dbm_connection c;
    if (db == NULL) fail_msg("%s", message());
    assert_int_equal(try_open(db, &c, INT64_MAX), DBM_E_CONNECT);
    assert_says(says);
    assert_int_equal(dbm_last_error()->stage, DBM_STAGE_CONNECT);
}

static void test_cannot_open(void **state) {
    char url[700];
    (void)state;
    cannot_open("c1", test_dir_url(&fx.dir, "no/such/dir/x.db"), "its directory does not exist; create it");
    (void)snprintf(url, sizeof url, "%s?mode=rw", test_dir_url(&fx.dir, "none.db"));
    cannot_open("c2", url, "mode=rw does not create it");
    (void)snprintf(url, sizeof url, "%s?mode=ro", test_dir_url(&fx.dir, "none.db"));
    cannot_open("c3", url, "opened for reading only");
    assert_int_equal(mkdir(test_dir_file(&fx.dir, "folder"), 0700), 0);
    cannot_open("c4", test_dir_url(&fx.dir, "folder"), "it is a directory");
    (void)test_dir_write(&fx.dir, "text.db", "this is no database, but a text of more than a hundred bytes, so that SQLite "
                         "looks at its beginning and finds something else there");
    cannot_open("c5", test_dir_url(&fx.dir, "text.db"), "is not an SQLite database, or it is encrypted");
    (void)test_dir_write(&fx.dir, "file", "x");
    cannot_open("c6", test_dir_url(&fx.dir, "file/x.db"), "file");
}

static void bad(const char *url, const char *key, const char *value, const char *says) {
    static int count;
    char name[20];
    dbm_option option;
    option.name = key;
    option.value = value;
    (void)snprintf(name, sizeof name, "bad%d", count++);
    assert_null(add(name, url, &option, key != NULL));
    assert_int_equal(dbm_last_error()->status, DBM_E_CONFIG);
    assert_says(says);
}

static void test_configuration(void **state) {
    dbm_config config;
    const char *url = test_dir_url(&fx.dir, "x.db");
    char with[700];
    (void)state;
    bad(url, "busy_timeout", "soon", "expected a duration");
    bad(url, "busy_timeout", "-1", "expected a duration");
    bad(url, "foreign_keys", "maybe", "true or false");
    bad(url, "journal_mode", "fast", "auto, wal, delete");
    bad(url, "synchronous", "1", "full, off, normal, extra");
    bad(url, "cache_size", "many", "number of pages");
    bad(url, "connect_args.colour", "red", "'colour' is not known; known are mode, cache");
    (void)snprintf(with, sizeof with, "%s?mod=ro", url);
    bad(with, NULL, NULL, "did you mean mode?");
    (void)snprintf(with, sizeof with, "%s?mode=readonly", url);
    bad(with, NULL, NULL, "expected one of ro, rw, rwc, memory");
    (void)snprintf(with, sizeof with, "%s?cache=both", url);
    bad(with, NULL, NULL, "shared or private");
    (void)snprintf(with, sizeof with, "%s?vfs=flash", url);
    bad(with, NULL, NULL, "no VFS of this name");
    bad("sqlite:////tmp/", NULL, NULL, "directory");
    memset(&config, 0, sizeof config);
    config.name = "iso";
    config.url = url;
    config.isolation = DBM_REPEATABLE_READ;
    assert_int_equal(dbm_add_database(fx.mgr, &config), DBM_OK);
    assert_null(dbm_get(fx.mgr, "iso"));
    assert_says("SERIALIZABLE");
}

/* One file is one queue of writers, whatever it is called. */
static void test_one_file_one_gate(void **state) {
    char path[600], cwd[600];
    dbm_database *a, *b, *c, *d;
    dbm_connection one;
    (void)state;
    assert_non_null(getcwd(cwd, sizeof cwd));
    (void)snprintf(path, sizeof path, "%s", test_dir_file(&fx.dir, "link"));
    assert_int_equal(symlink(fx.dir.path, path), 0);
    open_on(fx.db, &one);
    shut(&one);
    a = add("a", test_dir_url(&fx.dir, "link/app.db"), NULL, 0);
    b = add("b", test_dir_url(&fx.dir, "./link/../app.db"), NULL, 0);
    assert_int_equal(symlink("app.db", test_dir_file(&fx.dir, "alias.db")), 0);
    c = add("c", test_dir_url(&fx.dir, "alias.db"), NULL, 0);
    assert_int_equal(chdir(fx.dir.path), 0);
    d = add("d", "sqlite:///app.db", NULL, 0);
    assert_int_equal(chdir(cwd), 0);
    assert_non_null(fx.db->gate);
    assert_ptr_equal(a->gate, fx.db->gate);
    assert_ptr_equal(c->gate, fx.db->gate);
    assert_ptr_equal(d->gate, fx.db->gate);
    assert_ptr_not_equal(b, NULL);
    open_on(d, &one); /* relative to where it was configured, not to where we are now */
    shut(&one);
    assert_int_not_equal(access("app.db", F_OK), 0);
    assert_null(add("m", "sqlite:///:memory:", NULL, 0)->gate);
    /* Names that have to be encoded. */
    open_on(add("odd", test_dir_url(&fx.dir, "a%3Fb%23c%25d%20e.db"), NULL, 0), &one);
    shut(&one);
    assert_int_equal(access(test_dir_file(&fx.dir, "a?b#c%d e.db"), F_OK), 0);
}

static void test_memory(void **state) {
    dbm_database *db = add("m", "sqlite:///:memory:", NULL, 0), *named = add("n", "sqlite:///one?mode=memory&cache=shared", NULL, 0);
    dbm_connection c;
    (void)state;
    assert_true(db->single);
    assert_true(named->single);
    open_on(named, &c);
    run(&c, "CREATE TABLE t(a)");
    shut(&c);
    open_on(db, &c);
    run(&c, "CREATE TABLE keep(id INTEGER PRIMARY KEY)");
    run(&c, "CREATE TEMP TABLE \"odd \"\" name\"(id REFERENCES keep(id))");
    run(&c, "CREATE TEMP TABLE parent(id INTEGER PRIMARY KEY)");
    run(&c, "CREATE TEMP TABLE child(p REFERENCES parent(id))");
    run(&c, "INSERT INTO parent VALUES (1)");
    run(&c, "INSERT INTO child VALUES (1)");
    run(&c, "CREATE TEMP VIEW seen AS SELECT * FROM keep");
    run(&c, "CREATE TEMP TRIGGER ring AFTER INSERT ON keep BEGIN DELETE FROM child; END");
    run(&c, "ATTACH ':memory:' AS \"other \"\" one\"");
    run(&c, "PRAGMA foreign_keys = off");
    assert_int_equal(begin(&c, true, INT64_MAX), DBM_OK);
    run(&c, "INSERT INTO keep VALUES (7)");
    assert_int_equal(plain(&c, DBM_OP_RESET, INT64_MAX), DBM_OK);
    assert_int_equal(number(&c, "SELECT count(*) FROM keep"), 0);
    assert_int_equal(number(&c, "SELECT count(*) FROM sqlite_temp_master"), 0);
    assert_int_equal(number(&c, "SELECT count(*) FROM pragma_database_list WHERE name NOT IN ('main', 'temp')"), 0);
    assert_int_equal(number(&c, "PRAGMA foreign_keys"), 1);
    assert_int_equal(plain(&c, DBM_OP_PING, INT64_MAX), DBM_OK);
    shut(&c);
    /* A file is opened again instead. */
    open_on(fx.db, &c);
    assert_int_equal(plain(&c, DBM_OP_RESET, INT64_MAX), DBM_E_UNSUPPORTED);
    assert_int_equal(plain(&c, DBM_OP_PING, INT64_MAX), DBM_OK);
    shut(&c);
}

static void test_native_outlives(void **state) {
    dbm_connection c;
    sqlite3_stmt *stmt = NULL;
    bool retryable = false;
    (void)state;
    open_on(fx.db, &c);
    assert_int_equal(sqlite3_prepare_v2(native_of(&c), "SELECT 1", -1, &stmt, NULL), SQLITE_OK);
    shut(&c); /* SQLite keeps what the program still holds */
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(fx.db->adapter->classify(&c, NULL, SQLITE_BUSY_SNAPSHOT, &retryable), DBM_E_SERIALIZATION);
    assert_true(retryable);
}

/* ---- forks ------------------------------------------------------------------------------------------------------------------ */

/* Runs in the child: what is the parent's is given up, and the file opened again. */
static int child_of(dbm_connection *inherited, int count) {
    dbm_connection c;
    int i;
    for (i = 0; i < count; i++) dbm__connection_close(&inherited[i], DBM_DISCONNECT_FORKED);
    open_on(fx.db, &c);
    return number(&c, "SELECT count(*) FROM t") == 1 ? 0 : 1;
}

static void test_fork(void **state) {
    dbm_connection c[2], mine;
    int status = -1, in[2], back[2];
    char byte = 0;
    pid_t pid;
    (void)state;
    open_on(fx.db, &c[0]);
    open_on(fx.db, &c[1]);
    run(&c[0], "CREATE TABLE t(a)");
    run(&c[0], "INSERT INTO t VALUES (1)");
    assert_int_equal(number(&c[1], "SELECT count(*) FROM t"), 1);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(back), 0);
    pid = fork();
    if (pid == 0) {
        int i;
        close(in[1]);
        close(back[0]);
        for (i = 0; i < 2; i++) dbm__connection_close(&c[i], DBM_DISCONNECT_FORKED);
        if (try_open(fx.db, &mine, INT64_MAX) != DBM_OK) _exit(1);
        if (number(&mine, "SELECT count(*) FROM t") != 1) _exit(2);
        if (write(back[1], "x", 1) != 1 || read(in[0], &byte, 1) != 1) _exit(3);
        /* The parent has closed its last connection: the WAL file must still be there for us. */
        if (try_run(&mine, "INSERT INTO t VALUES (2)") != DBM_OK) _exit(4);
        if (write(back[1], "x", 1) != 1) _exit(5);
        (void)read(in[0], &byte, 1);
        _exit(0);
    }
    close(in[0]);
    close(back[1]); /* so that a child that fails is noticed */
    assert_int_equal(read(back[0], &byte, 1), 1);
    shut(&c[0]);
    shut(&c[1]);
    assert_int_equal(write(in[1], "x", 1), 1);
    assert_int_equal(read(back[0], &byte, 1), 1);
    open_on(fx.db, &mine);
    assert_int_equal(number(&mine, "SELECT count(*) FROM t"), 2); /* what the child wrote is not lost */
    run(&mine, "INSERT INTO t VALUES (3)");
    assert_int_equal(write(in[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(number(&mine, "SELECT count(*) FROM t"), 3);
    shut(&mine);
    close(in[1]);
    close(back[0]);
}

/* A transaction is open when the process forks: the child opens the file all the same, under locks of its own. */
static void test_fork_in_transaction(void **state) {
    dbm_connection c[2];
    int status = -1;
    pid_t pid;
    (void)state;
    open_on(fx.db, &c[0]);
    open_on(fx.db, &c[1]);
    run(&c[0], "CREATE TABLE t(a)");
    run(&c[0], "INSERT INTO t VALUES (1)");
    assert_int_equal(begin(&c[0], true, INT64_MAX), DBM_OK);
    run(&c[0], "INSERT INTO t VALUES (2)");
    pid = fork();
    if (pid == 0) {
        dbm_connection d;
        if (child_of(c, 2) != 0) _exit(1);
        if (try_open(fx.db, &d, INT64_MAX) != DBM_OK) _exit(2);
        if (begin(&d, true, in_ms(50)) != DBM_E_TIMEOUT) _exit(3); /* the parent is writing */
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    pid = fork();
    if (pid == 0) {
        dbm_connection d;
        if (child_of(c, 2) != 0) _exit(1);
        if (try_open(fx.db, &d, INT64_MAX) != DBM_OK) _exit(2);
        if (begin(&d, true, in_ms(5000)) != DBM_OK) _exit(3); /* as soon as it has finished */
        if (number(&d, "SELECT count(*) FROM t") != 2) _exit(4);
        if (plain(&d, DBM_OP_COMMIT, INT64_MAX) != DBM_OK) _exit(5);
        _exit(0);
    }
    dbm__sleep_us(50000);
    assert_int_equal(plain(&c[0], DBM_OP_COMMIT, INT64_MAX), DBM_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(number(&c[1], "SELECT count(*) FROM t"), 2);
    shut(&c[0]);
    shut(&c[1]);
}

/* ---- no memory --------------------------------------------------------------------------------------------------------------- */

static dbm_status everything(dbm_connection *c) {
    dbm_prepared p;
    dbm_op op;
    dbm_status status = try_open(fx.db, c, INT64_MAX);
    if (status != DBM_OK) return status;
    status = prepare(c, &p, "SELECT name FROM t", 0);
    if (status == DBM_OK) {
        status = start(c, &op, &p, NULL, 0);
        if (status == DBM_OK) {
            (void)column(c, &op, 0);
            status = hold(c, &op, 1 << 20);
            if (status == DBM_OK) while (next(c, &op) == DBM_OK) { }
            finish(c, &op);
        }
        unprepare(c, &p);
    }
    if (status == DBM_OK) status = try_run(c, "INSERT INTO t(name) VALUES ('x'), ('y')");
    shut(c);
    return status;
}

static void test_no_memory(void **state) {
    dbm_connection c;
    dbm_status status = DBM_E_NOMEM;
    int64_t rows;
    int n;
    (void)state;
    open_on(fx.db, &c);
    fill(&c, 500);
    rows = number(&c, "SELECT count(*) FROM t");
    shut(&c);
    for (n = 1; n < 100 && status != DBM_OK; n++) {
        test_heap_fail(&fx.heap, n);
        status = everything(&c);
        test_heap_fail(&fx.heap, 0);
        if (status != DBM_OK) assert_int_equal(status, DBM_E_NOMEM);
        open_on(fx.db, &c);
        if (status != DBM_OK) assert_int_equal(number(&c, "SELECT count(*) FROM t"), rows); /* what failed left nothing */
        shut(&c);
    }
    assert_int_equal(status, DBM_OK);
    assert_true(n > 4);
}

/* RETURNING in autocommit: a failure after SQLite has done the work must undo it. */
static void test_no_memory_for_returning(void **state) {
    dbm_connection c;
    dbm_status status = DBM_E_NOMEM;
    int n;
    (void)state;
    if (!has_returning()) return;
    open_on(fx.db, &c);
    run(&c, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)");
    for (n = 1; n < 100 && status != DBM_OK; n++) {
        dbm_connection d;
        open_on(fx.db, &d);
        test_heap_fail(&fx.heap, n);
        status = try_run(&d, "INSERT INTO t(name) VALUES ('x'), (hex(zeroblob(3000))) RETURNING name, id");
        test_heap_fail(&fx.heap, 0);
        assert_int_equal(status, status != DBM_OK ? DBM_E_NOMEM : DBM_OK);
        assert_int_equal(number(&c, "SELECT count(*) FROM t"), status == DBM_OK ? 2 : 0);
        shut(&d);
    }
    assert_int_equal(status, DBM_OK);
    assert_true(n > 3);
    shut(&c);
}

static void test_no_memory_at_init(void **state) {
    char name[20];
    int n;
    (void)state;
    for (n = 1; n < 100; n++) {
        dbm_database *db;
        (void)snprintf(name, sizeof name, "init%d", n);
        test_heap_fail(&fx.heap, n);
        db = add(name, test_dir_url(&fx.dir, "init.db"), NULL, 0);
        test_heap_fail(&fx.heap, 0);
        if (db != NULL && dbm_get(fx.mgr, name) == db && fx.heap.failed == 0) break;
        if (db == NULL) assert_int_equal(dbm_last_error()->status, DBM_E_NOMEM);
        fx.heap.failed = 0;
    }
    assert_true(n > 2 && n < 100);
}

/* What ten connections that have served a session each, and wait for the next one, take beyond the same ten of SQLite alone: the slots and the
 * statement caches, no prepared BEGIN and COMMIT yet. The aim is 40 KB. */
static void test_idle_memory(void **state) {
    enum { N = 10 };
    const char *file = test_dir_file(&fx.dir, "idle.db"), *sql = "SELECT name FROM sqlite_master WHERE rootpage = ?";
    sqlite3 *raw[N];
    sqlite3_stmt *stmt[N];
    dbm_session s[N];
    dbm_config config;
    dbm_database *db;
    long own = fx.heap.live_bytes;
    sqlite3_int64 theirs, ours, kept[3];
    (void)state;
    memset(&config, 0, sizeof config);
    config.name = "idle";
    config.url = test_dir_url(&fx.dir, "idle.db");
    config.pool.size = N;
    config.pool.max_overflow = -1;
    assert_int_equal(dbm_add_database(fx.mgr, &config), DBM_OK);
    db = dbm_get(fx.mgr, "idle");
    ours = sqlite3_memory_used();
    for (int i = 0; i < N; i++) {
        dbm_row *row;
        assert_int_equal(dbm_session_begin(db, NULL, &s[i]), DBM_OK);
        assert_int_equal(dbm_query_one(&s[i], &row, sql, 1), DBM_E_NOT_FOUND);
    }
    for (int i = 0; i < N; i++) assert_int_equal(dbm_commit(&s[i]), DBM_OK);
    for (int i = 0; i < N; i++) assert_int_equal(dbm_session_end(&s[i]), DBM_OK);
    ours = sqlite3_memory_used() - ours;
    own = fx.heap.live_bytes - own;
    for (int i = 0; i < 3; i++) { /* the second session of a connection leaves them, the third finds them */
        dbm_row *row;
        kept[i] = sqlite3_memory_used();
        DBM_SESSION_ON(db, again) (void)dbm_query_one(again, &row, sql, 1);
    }
    assert_true(kept[1] > kept[0] + 2000);
    assert_true(kept[2] == kept[1] && sqlite3_memory_used() == kept[2]);
    theirs = sqlite3_memory_used();
    for (int i = 0; i < N; i++) {
        assert_int_equal(sqlite3_open_v2(file, &raw[i], SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_exec(raw[i], "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_prepare_v2(raw[i], sql, -1, &stmt[i], NULL), SQLITE_OK);
        assert_int_equal(sqlite3_bind_int(stmt[i], 1, 1), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt[i]), SQLITE_DONE);
        assert_int_equal(sqlite3_reset(stmt[i]), SQLITE_OK);
    }
    theirs = sqlite3_memory_used() - theirs;
    for (int i = 0; i < N; i++) {
        (void)sqlite3_finalize(stmt[i]);
        (void)sqlite3_close(raw[i]);
    }
    print_message("%ld bytes of our own, %ld of SQLite's over its %ld\n", own, (long)(ours - theirs), (long)theirs);
    assert_true(theirs > 0);
    assert_in_range(own, 1, 30 * 1024);
    assert_true(ours - theirs < 2 * 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_values_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_affected_and_last_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_returning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_constraints, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reads_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_statements_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transactions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_snapshot_conflict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_the_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commit_waits_for_readers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hold_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_schema_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_journal_modes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_file_race, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cannot_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_file_one_gate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_idle_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_native_outlives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fork, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fork_in_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_for_returning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory_at_init, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
