/* Rows in bulk: names, values of all C types, handles after their end, and what is undone when; on SQLite, and on a server that fails where it is told to,
 * with and without a way of its own. What every backend does alike is in test_backends.c. */
#include "scripted.h"

static test_dir dir;
static dbm_manager *mgr;
static dbm_database *db;
static test_log said;

static int open_all(void **state) {
    dbm_options options;
    (void)state;
    test_dir_make(&dir);
    test_log_clear(&said);
    memset(&options, 0, sizeof options);
    options.log = test_log_hook;
    options.log_ud = &said;
    options.grace_ms = -1;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.url = test_dir_url(&dir, "bulk.db"), .pool.size = 2)), DBM_OK);
    db = dbm_get(mgr, NULL);
    assert_non_null(db);
    assert_int_equal(dbm_exec(db, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, \"odd \"\"one\"\", \" v, v BLOB)"), DBM_OK);
    return 0;
}
static int close_all(void **state) {
    dbm_stats_info s;
    (void)state;
    assert_int_equal(dbm_stats(db, &s), DBM_OK);
    assert_int_equal(s.out, 0);
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    return 0;
}
#define OK(call) do { dbm_status ok_ = (call); if (ok_ != DBM_OK) fail_msg("%s: %s: %s", #call, dbm_status_name(ok_), dbm_last_error()->message); } while (0)
static void says(dbm_status st, dbm_status want, const char *const *parts) {
    assert_string_equal(dbm_status_name(st), dbm_status_name(want));
    for (; *parts != NULL; parts++) if (strstr(dbm_last_error()->message, *parts) == NULL) fail_msg("'%s' is without '%s'", dbm_last_error()->message, *parts);
}
#define SAYS(call, want, ...) do { static const char *const parts_[] = { __VA_ARGS__, NULL }; says(call, want, parts_); } while (0)

static int64_t number(const char *sql) {
    dbm_row *row;
    int64_t n;
    OK(dbm_query_one(db, &row, sql));
    n = dbm_row_int(row, 0);
    dbm_row_end(row);
    return n;
}

/* ---- names -------------------------------------------------------------------------------------------------------------------------- */

static dbm_status begin(const char *table, const char *columns) {
    dbm_bulk *b;
    dbm_status st = dbm_bulk_begin(db, &b, table, columns);
    assert_true((st == DBM_OK) == (b != NULL));
    if (st == DBM_OK) OK(dbm_bulk_end(b));
    return st;
}
static void names(void **state) {
    char many[64 * 4 + 1];
    (void)state;
    OK(begin("t", "id,name"));
    OK(begin(" t ", "\tid ,\n name "));
    OK(begin("main.t", "id"));
    SAYS(begin("main . t", "id"), DBM_E_MISUSE, "byte 6"); /* a blank ends a name */
    OK(begin("\"main\".[t]", "`id`,[name],\"odd \"\"one\"\", \""));
    SAYS(begin("t; DROP TABLE t", "id"), DBM_E_MISUSE, "table", "byte 2", "letters, digits and _");
    SAYS(begin("t", "id,name)--"), DBM_E_MISUSE, "columns", "byte 8");
    SAYS(begin("t", "id,,name"), DBM_E_MISUSE, "byte 4");
    SAYS(begin("t", "id,"), DBM_E_MISUSE, "missing at the end");
    SAYS(begin("t", "id,1st"), DBM_E_MISUSE, "byte 4");
    SAYS(begin("t", "'id'"), DBM_E_MISUSE, "byte 1");
    SAYS(begin("t", "\"id"), DBM_E_MISUSE, "byte 1");
    SAYS(begin("t", "\"\""), DBM_E_MISUSE, "byte 1");
    SAYS(begin("t.", "id"), DBM_E_MISUSE, "missing at the end");
    SAYS(begin("", "id"), DBM_E_MISUSE, "missing at the end");
    SAYS(begin("t", "id?"), DBM_E_MISUSE, "byte 3");
    SAYS(begin(NULL, "id"), DBM_E_MISUSE, "NULL");
    SAYS(begin("t", NULL), DBM_E_MISUSE, "name the columns");
    SAYS(begin("t", ""), DBM_E_MISUSE, "name the columns");
    SAYS(begin("t", "id,nothing"), DBM_E_SQL, "the bulk for t", "nothing");
    for (int i = 0; i < 64; i++) memcpy(many + (size_t)i * 4, "abc,", 4);
    many[255] = 0;
    SAYS(begin("t", many), DBM_E_SQL, "abc"); /* 64 are few enough */
    memcpy(many + 252, "d,ef", 5);
    SAYS(begin("t", many), DBM_E_LIMIT, "64 columns");
    SAYS(dbm_bulk_begin(db, NULL, "t", "id"), DBM_E_MISUSE, "out is NULL");
    assert_int_equal(number("SELECT count(*) FROM t"), 0);
}

/* ---- values ------------------------------------------------------------------------------------------------------------------------- */

typedef struct thing { int64_t id; const char *name; double v; } thing;
DBM_MODEL(thing, "t", DBM_KEY(id), DBM_FIELD(name));
typedef struct odd { int32_t id; char name[8]; } odd;
DBM_MODEL(odd, "t", DBM_KEY(id), DBM_FIELD(name));
typedef struct lone { int64_t id; } lone;
DBM_MODEL(lone, "t", DBM_KEY(id));

static int64_t sum_of(const dbm_column *column) { /* what arrives, as a number */
    dbm_bulk *b;
    int64_t ids[] = { 1, 2, 3 };
    const dbm_column columns[] = { DBM_COLUMN(ids), *column };
    OK(dbm_exec(db, "DELETE FROM t"));
    OK(dbm_bulk_begin(db, &b, "t", "id,v"));
    OK(dbm_bulk_columns(b, columns, 2, 3));
    OK(dbm_bulk_end(b));
    return number("SELECT sum(v * id) FROM t");
}
#define SUM_OF(type) do { static const type given[] = { 1, 0, 1 }; const dbm_column column = DBM_COLUMN(given); assert_int_equal(column.size, sizeof(type)); \
        assert_int_equal(sum_of(&column), 4); } while (0)

static void c_types(void **state) {
    (void)state;
    SUM_OF(int8_t); SUM_OF(int16_t); SUM_OF(int32_t); SUM_OF(int64_t); SUM_OF(long long); SUM_OF(uint8_t); SUM_OF(uint16_t); SUM_OF(uint32_t); SUM_OF(uint64_t);
    SUM_OF(bool); SUM_OF(float); SUM_OF(double); SUM_OF(unsigned long long);
    {
        dbm_optional_int optional[] = { { true, 7 }, { false, 9 }, { true, -1 } };
        dbm_optional_double real[] = { { true, 0.5 }, { false, 9 }, { true, 1.5 } };
        dbm_optional_bool flags[] = { { true, true }, { false, true }, { true, false } };
        dbm_value values[] = { dbm_int(3), dbm_null(), dbm_double(2.0) };
        char buffers[3][4] = { "12", "", "3" };
        const char *const texts[] = { "12", NULL, "3" };
        char *own[] = { buffers[0], buffers[1], buffers[2] };
        dbm_bytes bytes[] = { { (const unsigned char *)"12", 2 }, { NULL, 0 }, { (const unsigned char *)"3", 1 } };
        dbm_column column = DBM_COLUMN(optional);
        assert_int_equal(sum_of(&column), 4);
        column = DBM_COLUMN(real);
        assert_int_equal(sum_of(&column), 5);
        column = DBM_COLUMN(flags);
        assert_int_equal(sum_of(&column), 1);
        column = DBM_COLUMN(values);
        assert_int_equal(sum_of(&column), 9);
        column = DBM_COLUMN(buffers);
        assert_int_equal(sum_of(&column), 21);
        column = DBM_COLUMN(texts);
        assert_int_equal(sum_of(&column), 21);
        assert_int_equal(number("SELECT v IS NULL FROM t WHERE id = 2"), 1);
        column = DBM_COLUMN(own);
        assert_int_equal(sum_of(&column), 21);
        column = DBM_COLUMN(bytes);
        assert_int_equal(sum_of(&column), 21);
        assert_int_equal(number("SELECT sum(typeof(v) = 'blob') FROM t"), 2);
        column = DBM_COLUMN_AS(DBM_TYPE_JSON, texts);
        assert_int_equal(sum_of(&column), 21);
    }
    {
        static const unsigned char nulls[] = { 5 };
        int64_t times[] = { 0, 1000000, 2000000 };
        thing things[] = { { 9, "a", 1.0 }, { 8, "b", 2.0 }, { 7, "c", 3.0 } };
        dbm_column column = DBM_COLUMN_NULLS(times, nulls);
        assert_int_equal(sum_of(&column), 2000000);
        column = DBM_COLUMN_AS(DBM_TYPE_TIMESTAMP, times);
        (void)sum_of(&column);
        assert_int_equal(number("SELECT count(*) FROM t WHERE v = '1970-01-01 00:00:01'"), 1);
        column = DBM_COLUMN_FIELD(things, v);
        assert_int_equal(column.stride, sizeof(thing));
        assert_int_equal(sum_of(&column), 14);
        column = DBM_COLUMN_FIELD(things, name);
        (void)sum_of(&column);
        assert_int_equal(number("SELECT count(*) FROM t WHERE v IN ('a', 'b', 'c')"), 3);
    }
}

static dbm_status columns_of(const dbm_column *columns, int count, size_t rows) {
    dbm_bulk *b;
    dbm_status st;
    OK(dbm_bulk_begin(db, &b, "t", "id,name"));
    st = dbm_bulk_columns(b, columns, count, rows);
    assert_int_equal(dbm_bulk_end(b), st); /* the first failure is the bulk's */
    return st;
}
static void bad_values(void **state) {
    dbm_bulk *b;
    int64_t ids[] = { 1, 2 };
    char names_[2][2] = { { 'a', 0 }, { 'b', 'c' } };
    dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(names_) };
    (void)state;
    SAYS(columns_of(columns, 2, 2), DBM_E_RANGE, "row 1 of the bulk", "column name", "holds no NUL");
    SAYS(columns_of(columns, 1, 2), DBM_E_MISUSE, "2 columns", "passes 1");
    columns[1].type = DBM_TYPE_TIMESTAMP;
    SAYS(columns_of(columns, 2, 1), DBM_E_MISUSE, "column name", "timestamps are int64_t");
    columns[1] = columns[0];
    columns[1].type = DBM_TYPE_DECIMAL;
    SAYS(columns_of(columns, 2, 1), DBM_E_MISUSE, "column name");
    columns[1].data = NULL;
    columns[1].type = DBM_TYPE_NULL;
    SAYS(columns_of(columns, 2, 1), DBM_E_MISUSE, "the array is NULL");
    columns[1].data = ids;
    columns[1].kind = 99;
    SAYS(columns_of(columns, 2, 1), DBM_E_MISUSE, "column name");
    SAYS(columns_of(NULL, 2, 1), DBM_E_MISUSE, "passes 0");
#define ONE_ROW(want, row, ...) do { OK(dbm_bulk_begin(db, &b, "t", "id,name")); OK(dbm_bulk_row(b, 1, "x")); SAYS(row, want, "row 1 of the bulk", __VA_ARGS__); \
        assert_int_equal(dbm_bulk_end(b), want); } while (0)
    ONE_ROW(DBM_E_MISUSE, dbm_bulk_row(b, 1), "2 columns", "1 value");
    ONE_ROW(DBM_E_MISUSE, dbm_bulk_row(b, 1, "a", "b"), "2 columns", "3 values");
    ONE_ROW(DBM_E_MISUSE, dbm_bulk_row(b, 2, (void *)&b), "value 2");
    ONE_ROW(DBM_E_MISUSE, dbm_bulk_row(b, dbm_named("id", dbm_int(2)), dbm_named("name", dbm_text("y"))), "by position");
    ONE_ROW(DBM_E_RANGE, dbm_bulk_row(b, UINT64_MAX, "y"), "column id", "18446744073709551615");
    ONE_ROW(DBM_E_MISUSE, dbm_bulk_rowv(b, NULL, 2), "2 columns");
    ONE_ROW(DBM_E_CONSTRAINT, dbm_bulk_row(b, 1, "again"), "for t", "t.id");
    assert_int_equal(number("SELECT count(*) FROM t"), 0);
}

static void models(void **state) {
    thing things[] = { { 0, "a", 0 }, { 0, NULL, 0 }, { 0, "c", 0 } };
    odd odds[] = { { 7, "seven" }, { 8, "eight" } };
    lone alone[] = { { 0 }, { 0 } };
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_insert_structs(s, &thing_model, things, 3));
        assert_int_equal(dbm_affected(s), 3);
        assert_int_equal(things[0].id, 0);
        OK(dbm_insert_structs(s, &odd_model, odds, 2));
        OK(dbm_insert_structs(s, &thing_model, (thing *)NULL, 0));
        assert_int_equal(dbm_affected(s), 0);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number("SELECT sum(id) FROM t"), 1 + 2 + 3 + 7 + 8);
    assert_int_equal(number("SELECT count(*) FROM t WHERE name IS NULL"), 1);
    things[1].id = 70;
    SAYS(dbm_insert_structs(db, &thing_model, things, 3), DBM_E_MISUSE, "'id' is 0 in 2 of 3 structs");
    things[0].id = 71;
    things[2].id = 8;
    SAYS(dbm_insert_structs(db, &thing_model, things, 3), DBM_E_CONSTRAINT, "row 2 of the bulk", "t.id");
    memset(odds[1].name, 'x', sizeof odds[1].name);
    odds[0].id = 90, odds[1].id = 91;
    SAYS(dbm_insert_structs(db, &odd_model, odds, 2), DBM_E_RANGE, "row 1", "\"name\"", "holds no NUL");
    SAYS(dbm_insert_structs(db, &lone_model, alone, 2), DBM_E_MISUSE, "no field but the key");
    alone[0].id = 100, alone[1].id = 101;
    OK(dbm_insert_structs(db, &lone_model, alone, 2));
    SAYS(dbm_insert_structs(db, &thing_model, odds, 2), DBM_E_MISUSE, "model 'thing'");
    assert_int_equal(number("SELECT count(*) FROM t"), 7);
}

/* ---- what is around it ----------------------------------------------------------------------------------------------------------------- */

/* A handle whose bulk has ended stands for nothing, though its place may serve another one later. */
static void handles(void **state) {
    dbm_bulk *b[5];
    (void)state;
    DBM_SESSION_ON(db, s) {
        for (int i = 0; i < 4; i++) {
            OK(dbm_bulk_begin(s, &b[i], "t", "id"));
            OK(dbm_bulk_row(b[i], i));
            OK(dbm_bulk_end(b[i]));
            for (int k = 0; k <= i; k++) SAYS(dbm_bulk_row(b[k], 100), DBM_E_MISUSE, "has ended");
        }
        OK(dbm_bulk_begin(s, &b[4], "t", "id"));
        for (int k = 1; k < 4; k++) {
            SAYS(dbm_bulk_end(b[k]), DBM_E_MISUSE, "has ended");
            SAYS(dbm_bulk_abandon(b[k]), DBM_E_MISUSE, "has ended");
        }
        OK(dbm_bulk_row(b[4], 4));
    }
    SAYS(dbm_bulk_row(b[4], 5), DBM_E_MISUSE, "has ended"); /* with its session */
    SAYS(dbm_bulk_end(b[4]), DBM_E_MISUSE, "has ended");
    assert_true(dbm_bulk_row((dbm_bulk *)NULL, 1) != DBM_OK);
    assert_true(dbm_bulk_end(NULL) != DBM_OK);
    assert_true(dbm_bulk_abandon(NULL) != DBM_OK);
    assert_int_equal(number("SELECT count(*) FROM t"), 0); /* forgotten at the end of the block */
}

/* Every call that must not come between, and the two that end it. */
static void in_the_way(void **state) {
    dbm_bulk *b, *other;
    dbm_row *row;
    dbm_rows *rows;
    dbm_statement *st;
    dbm_status rc;
    (void)state;
#define WITH_OPEN(call) do { \
        DBM_SESSION_RC(mgr, NULL, s, &rc) { OK(dbm_bulk_begin(s, &b, "t", "id")); OK(dbm_bulk_row(b, 1)); SAYS(call, DBM_E_MISUSE, "the bulk of tests/integration/test_bulk.c:", "is open"); } \
        assert_int_equal(rc, DBM_E_MISUSE); } while (0)
    WITH_OPEN(dbm_exec(s, "SELECT 1"));
    WITH_OPEN(dbm_exec(db, "SELECT 1")); /* joins */
    WITH_OPEN(dbm_send(s, "SELECT 1"));
    WITH_OPEN(dbm_query(s, &rows, "SELECT 1"));
    WITH_OPEN(dbm_query_one(s, &row, "SELECT 1"));
    WITH_OPEN(dbm_prepare(s, "SELECT 1", &st));
    WITH_OPEN(dbm_bulk_begin(s, &other, "t", "id"));
    WITH_OPEN(dbm_commit(s));
    WITH_OPEN(dbm_script(s, "SELECT 1"));
    WITH_OPEN(dbm_native(s, "sqlite") == NULL ? dbm_last_error()->status : DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_status inner = DBM_OK;
        OK(dbm_bulk_begin(s, &b, "t", "id"));
        DBM_SAVEPOINT_RC(s, &inner) fail();
        assert_int_equal(inner, DBM_E_MISUSE);
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* rows and a statement from before it */
        OK(dbm_prepare(s, "SELECT 1", &st));
        OK(dbm_query(s, &rows, "SELECT 1 UNION SELECT 2"));
        OK(dbm_rows_next(rows, &row));
        OK(dbm_bulk_begin(s, &b, "t", "id"));
        assert_int_equal(dbm_row_int(row, 0), 1); /* the row in hand stays */
        dbm_stmt_end(st);
        OK(dbm_bulk_row(b, 1));
        SAYS(dbm_rows_next(rows, &row), DBM_E_MISUSE, "is open");
        dbm_rows_end(rows);
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a bulk for each row of a loop, names from the row of dbm_query_one */
        OK(dbm_query_one(s, &row, "SELECT 't', 'id,name'"));
        OK(dbm_bulk_begin(s, &b, dbm_row_text(row, 0), dbm_row_text(row, 1)));
        OK(dbm_bulk_end(b));
        DBM_EACH(s, each, "SELECT 1 AS n UNION SELECT 2 UNION SELECT 3") {
            OK(dbm_bulk_begin(s, &b, "t", "id,name"));
            OK(dbm_bulk_row(b, dbm_row_int(each, 0), "a"));
            OK(dbm_bulk_row(b, dbm_row_int(each, 0) + 10, dbm_row_text(each, 0)));
            OK(dbm_bulk_end(b));
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number("SELECT count(*) FROM t"), 6);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* in a block inside, the handle of the one outside is suspended */
        OK(dbm_bulk_begin(s, &b, "t", "id"));
        OK(dbm_bulk_row(b, 50));
        DBM_SESSION_ON(db, inside) {
            (void)inside;
            SAYS(dbm_bulk_row(b, 51), DBM_E_MISUSE, "the block of");
        }
        OK(dbm_bulk_row(b, 52));
        OK(dbm_bulk_end(b));
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(number("SELECT count(*) FROM t"), 8);
}

/* A loop over rows in autocommit goes on though a bulk inside it is dropped, which is a ROLLBACK. */
static void dropped_inside_of_a_loop(void **state) {
    dbm_status rc;
    int n = 0;
    (void)state;
    DBM_SESSION_OPT(mgr, NULL, s, .autocommit = 1, .status = &rc) {
        DBM_EACH(s, each, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500) SELECT x, zeroblob(1000) FROM c") {
            dbm_bulk *b;
            if (++n > 3) continue;
            OK(dbm_bulk_begin(s, &b, "t", "id"));
            OK(dbm_bulk_row(b, dbm_row_int(each, 0)));
            OK(n == 2 ? dbm_bulk_end(b) : dbm_bulk_abandon(b));
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(n, 500);
    assert_int_equal(number("SELECT sum(id) FROM t"), 2);
}

static void told(void *ud, int64_t row, const dbm_error_info *error) {
    int64_t *rows = (int64_t *)ud;
    assert_int_equal(error->status == DBM_E_CONSTRAINT || error->status == DBM_E_RANGE, 1);
    assert_non_null(strstr(error->site, "test_bulk.c"));
    rows[++rows[0]] = row;
}
static void each_row(void **state) {
    int64_t rows[8] = { 0 };
    char texts[4][2] = { { 'a', 0 }, { 'b', 'b' }, { 'c', 0 }, { 'd', 0 } };
    int64_t ids[] = { 10, 11, 1, 12 };
    const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN(texts) };
    dbm_bulk *b;
    (void)state;
    OK(dbm_exec(db, "CREATE TABLE ends (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK)"));
    OK(dbm_bulk_begin_opt(db, &b, "t", "id,name", .each_row = 1, .failed = told, .failed_ud = rows));
    OK(dbm_bulk_row(b, 1, "x"));
    OK(dbm_bulk_row(b, UINT64_MAX, "x"));
    OK(dbm_bulk_row(b, 1, "x"));
    OK(dbm_bulk_columns(b, columns, 2, 4));
    OK(dbm_bulk_row(b, 2, "x"));
    OK(dbm_bulk_end(b));
    assert_int_equal(rows[0], 4);
    assert_int_equal(rows[1], 1);
    assert_int_equal(rows[2], 2);
    assert_int_equal(rows[3], 4);
    assert_int_equal(rows[4], 5);
    assert_int_equal(number("SELECT sum(id) FROM t"), 1 + 10 + 12 + 2);
    /* a row that ends the transaction fails the bulk all the same: what came before it is gone */
    OK(dbm_bulk_begin_opt(db, &b, "ends", "id", .each_row = 1));
    OK(dbm_bulk_row(b, 1));
    SAYS(dbm_bulk_row(b, 1), DBM_E_ROLLED_BACK, "row 1 of the bulk", "ended the transaction");
    assert_int_equal(dbm_bulk_end(b), DBM_E_ROLLED_BACK);
    assert_int_equal(number("SELECT count(*) FROM ends"), 0);
}

static void long_arrays(void **state) { /* they are taken in parts, between which a cancel is heard */
    enum { ROWS = 20000 };
    static int64_t ids[ROWS];
    const dbm_column columns[] = { DBM_COLUMN(ids) };
    dbm_bulk *b;
    dbm_status rc;
    (void)state;
    for (int i = 0; i < ROWS; i++) ids[i] = i == 17000 ? 5 : i;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_bulk_begin(s, &b, "t", "id"));
        SAYS(dbm_bulk_columns(b, columns, 1, ROWS), DBM_E_CONSTRAINT, "row 17000 of the bulk");
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    ids[17000] = 17000;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        OK(dbm_bulk_begin(s, &b, "t", "id"));
        OK(dbm_bulk_columns(b, columns, 1, ROWS));
        OK(dbm_cancel(s));
        assert_int_equal(dbm_bulk_columns(b, columns, 1, ROWS), DBM_E_CANCELLED);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_int_equal(number("SELECT count(*) FROM t"), 0);
    OK(dbm_bulk_begin(db, &b, "t", "id"));
    OK(dbm_bulk_columns(b, columns, 1, ROWS));
    OK(dbm_bulk_end(b));
    assert_int_equal(number("SELECT count(*) FROM t"), ROWS);
}

/* ---- a server ------------------------------------------------------------------------------------------------------------------------------ */

static const char *const forms[] = { "scripted", "serial", "stepped" };
enum { FORMS = 3 };

/* One session with a bulk in the middle of it; what each call answered. */
typedef struct heard { dbm_status begin, row, end, session, abandoned; int64_t affected; } heard;
static heard one_bulk(dbm_database *on, bool first, bool abandon, bool each, int rows) {
    heard h;
    dbm_bulk *b = NULL;
    memset(&h, 0, sizeof h);
    DBM_SESSION_ON(on, s) {
        if (!first) (void)dbm_exec(s, "write before");
        h.begin = dbm_bulk_begin_opt(s, &b, "t", "a,b", .each_row = each);
        for (int i = 1; h.begin == DBM_OK && h.row == DBM_OK && i <= rows; i++) h.row = dbm_bulk_row(b, i, "x");
        if (h.begin == DBM_OK) h.end = abandon ? dbm_bulk_abandon(b) : dbm_bulk_end(b);
        h.affected = dbm_affected(s);
    }
    {
        dbm_error_info e;
        h.session = dbm_session_failed(&e) ? e.status : DBM_OK;
    }
    return h;
}

static void its_own_way(void **state) {
    (void)state;
    for (int form = 0; form < FORMS; form++) {
        dbm_manager *m = server_manager(NULL);
        server *v = server_make();
        dbm_database *on = server_add(m, v, forms[form], NULL);
        heard h;
        v->bulk_window = 4;
        h = one_bulk(on, true, false, false, 10);
        assert_int_equal(h.end | h.row | h.begin | h.session, DBM_OK);
        assert_int_equal(h.affected, 10);
        assert_int_equal(server_count(v, DBM_OP_BULK), 1);
        assert_int_equal(server_count(v, DBM_OP_BULK_SEND), 2);
        assert_int_equal(server_count(v, DBM_OP_BULK_END), 1);
        assert_int_equal(server_count(v, DBM_OP_SAVEPOINT), 0); /* the bulk began the transaction */
        assert_int_equal(server_count(v, DBM_OP_PREPARE), 0);
        assert_int_equal(v->bulk_kept, 10);
        h = one_bulk(on, false, false, false, 3);
        assert_int_equal(h.end | h.row | h.begin | h.session, DBM_OK);
        assert_int_equal(server_count(v, DBM_OP_SAVEPOINT), 1);
        assert_int_equal(server_count(v, DBM_OP_RELEASE), 1);
        assert_int_equal(v->bulk_kept, 13);
        /* abandoned: by the ROLLBACK of its transaction, or by its savepoint */
        h = one_bulk(on, true, true, false, 9);
        assert_int_equal(h.end | h.row | h.begin | h.session, DBM_OK);
        assert_int_equal(v->rollbacks, 1);
        h = one_bulk(on, false, true, false, 9);
        assert_int_equal(h.end | h.row | h.begin | h.session, DBM_OK);
        assert_int_equal(v->rollbacks, 1);
        assert_int_equal(server_count(v, DBM_OP_ROLLBACK_TO), 1);
        assert_int_equal(v->bulk_kept, 13);
        /* a row is refused when it is sent: its number is told; or, each by itself, it is skipped */
        v->bulk_bad = 3;
        h = one_bulk(on, true, false, false, 10);
        assert_int_equal(h.row, DBM_E_CONSTRAINT);
        assert_int_equal(h.end, DBM_E_CONSTRAINT);
        assert_int_equal(h.session, DBM_E_CONSTRAINT);
        assert_non_null(strstr(dbm_last_error()->message, "row 2 of the bulk"));
        h = one_bulk(on, true, false, true, 10);
        assert_int_equal(h.row | h.end | h.session, DBM_OK);
        assert_int_equal(h.affected, 9);
        assert_int_equal(v->bulk_kept, 13 + 9);
        DBM_SESSION_ON(on, s) { /* a row that the adapter refuses itself, first in its own bulk, then skipped */
            dbm_bulk *b;
            OK(dbm_bulk_begin_opt(s, &b, "t", "a", .each_row = 1));
            OK(dbm_bulk_row(b, dbm_blob("x", 1)));
            OK(dbm_bulk_row(b, 1));
            OK(dbm_bulk_end(b));
            assert_int_equal(dbm_affected(s), 1);
            OK(dbm_bulk_begin(s, &b, "t", "a"));
            OK(dbm_bulk_row(b, 1));
            SAYS(dbm_bulk_row(b, dbm_blob("x", 1)), DBM_E_RANGE, "row 1 of the bulk (from 0), column a for t");
            OK(dbm_clear_error(s));
            OK(dbm_exec(s, "write after"));
        }
        assert_false(dbm_session_failed(NULL));
        dbm_manager_free(m);
        assert_int_equal(server_end_all(), 0);
    }
}

/* A fault at each operation of a bulk: nothing of the bulk is kept, nothing is left open, the failure is heard, and the next session works. */
static void faults(void **state) {
    static const int kinds[] = { DBM_OP_BEGIN, DBM_OP_SAVEPOINT, DBM_OP_BULK, DBM_OP_BULK_SEND, DBM_OP_BULK_END, DBM_OP_RELEASE, DBM_OP_ROLLBACK_TO, DBM_OP_ROLLBACK, DBM_OP_COMMIT };
    (void)state;
    for (int form = 0; form < FORMS; form++) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            for (int way = 0; way < 8; way++) { /* bit 0: LOSE, else FAIL; 1: first in its transaction; 2: abandoned */
                dbm_manager *m = server_manager(NULL);
                server *v = server_make();
                dbm_database *on = server_add(m, v, forms[form], NULL);
                bool lose = way & 1, reached;
                heard h;
                v->bulk_window = 4;
                if (lose) plan(v, kinds[k], 1, LOSE);
                else plan_fail(v, kinds[k], 1, DBM_E_SQL, "XX000");
                h = one_bulk(on, (way & 2) != 0, (way & 4) != 0, false, 10);
                reached = server_count(v, kinds[k]) > 0;
                if (!reached) {
                    assert_int_equal(h.session, DBM_OK);
                    assert_int_equal(v->bulk_kept, way & 4 ? 0 : 10);
                } else if (h.session == DBM_OK) { /* replaced before anything was done, or an end that nobody needs */
                    assert_true(lose || (way & 4) != 0);
                } else {
                    assert_true(h.session == DBM_E_SQL || h.session == DBM_E_LOST || h.session == DBM_E_IN_DOUBT);
                    if (v->bulk_kept != 0) fail_msg("%s, operation %d, way %d: %ld rows are kept", forms[form], kinds[k], way, v->bulk_kept);
                }
                plan_clear(v);
                v->bulk_kept = v->bulk_sent = 0;
                h = one_bulk(on, true, false, false, 5);
                assert_int_equal(h.session, DBM_OK);
                assert_int_equal(v->bulk_kept, 5);
                {
                    dbm_stats_info s;
                    assert_int_equal(dbm_stats(on, &s), DBM_OK);
                    assert_int_equal(s.out, 0);
                }
                dbm_manager_free(m);
                assert_int_equal(server_end_all(), 0);
            }
        }
    }
}

/* Without a way of its own: one INSERT a row, prepared once. */
static void emulated(void **state) {
    (void)state;
    for (int form = 0; form < FORMS; form++) {
        dbm_manager *m = server_manager(NULL);
        server *v = server_make();
        dbm_database *on = server_add(m, v, forms[form], NULL);
        heard h = one_bulk(on, true, false, false, 10);
        assert_int_equal(h.end | h.row | h.begin | h.session, DBM_OK);
        assert_int_equal(h.affected, 10);
        assert_int_equal(server_count(v, DBM_OP_PREPARE), 1);
        assert_int_equal(server_count(v, DBM_OP_EXECUTE), 10);
        assert_int_equal(v->value_count, 2);
        h = one_bulk(on, true, false, true, 3); /* each row by itself: a savepoint for each */
        assert_int_equal(h.end | h.row | h.begin | h.session, DBM_OK);
        assert_int_equal(server_count(v, DBM_OP_SAVEPOINT), 3);
        assert_int_equal(server_count(v, DBM_OP_RELEASE), 3);
        plan_fail(v, DBM_OP_EXECUTE, 2, DBM_E_CONSTRAINT, "23505");
        h = one_bulk(on, true, false, true, 3);
        assert_int_equal(h.end | h.row | h.begin | h.session, DBM_OK);
        assert_int_equal(h.affected, 2);
        assert_int_equal(server_count(v, DBM_OP_ROLLBACK_TO), 1);
        plan_fail(v, DBM_OP_EXECUTE, 2, DBM_E_DEADLOCK, "40P01"); /* not the row's own */
        h = one_bulk(on, true, false, true, 3);
        assert_int_equal(h.row, DBM_E_DEADLOCK);
        assert_int_equal(h.session, DBM_E_DEADLOCK);
        plan_fail(v, DBM_OP_EXECUTE, 2, DBM_E_CONSTRAINT, "23505");
        h = one_bulk(on, false, false, false, 3); /* the statement before it is the first */
        assert_int_equal(h.row, DBM_E_CONSTRAINT);
        assert_non_null(strstr(dbm_last_error()->message, "row 0 of the bulk"));
        dbm_manager_free(m);
        assert_int_equal(server_end_all(), 0);
    }
}

/* Dead connections: found at the first operation, another one takes its place; later the bulk fails. */
static void lost(void **state) {
    dbm_manager *m = server_manager(NULL);
    server *v = server_make();
    dbm_database *on = server_add(m, v, "stepped", NULL);
    heard h;
    (void)state;
    v->bulk_window = 4;
    h = one_bulk(on, true, false, false, 1);
    assert_int_equal(h.session, DBM_OK);
    plan(v, DBM_OP_BULK, 1, LOSE);
    h = one_bulk(on, true, false, false, 5);
    assert_int_equal(h.session, DBM_OK);
    assert_int_equal(v->bulk_kept, 6);
    plan(v, DBM_OP_BULK_SEND, 1, LOSE);
    h = one_bulk(on, true, false, false, 5);
    assert_int_equal(h.row, DBM_E_LOST);
    assert_int_equal(h.session, DBM_E_LOST);
    assert_int_equal(v->bulk_kept, 6);
    DBM_SESSION_ON(on, s) { /* dbm_rollback takes another connection, and the next bulk is kept */
        dbm_bulk *b;
        plan(v, DBM_OP_BULK_END, 1, LOSE);
        OK(dbm_bulk_begin(s, &b, "t", "a"));
        OK(dbm_bulk_row(b, 1));
        assert_int_equal(dbm_bulk_end(b), DBM_E_LOST);
        OK(dbm_rollback(s));
        OK(dbm_bulk_begin(s, &b, "t", "a"));
        OK(dbm_bulk_row(b, 1));
        OK(dbm_bulk_end(b));
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(v->bulk_kept, 7);
    dbm_manager_free(m);
    assert_int_equal(server_end_all(), 0);
}

/* A ROLLBACK that fails takes the connection with it: the session, which has lost nothing else, goes on with another one. */
static void dropped_with_its_connection(void **state) {
    (void)state;
    for (int way = 0; way < 4 * FORMS; way++) {
        dbm_manager *m = server_manager(NULL);
        server *v = server_make();
        dbm_database *on = server_add(m, v, forms[way / 4], NULL);
        dbm_stats_info stats;
        dbm_status rc = DBM_OK;
        v->bulk_window = 4;
        if (way & 1) plan(v, DBM_OP_ROLLBACK, 1, LOSE);
        else plan_fail(v, DBM_OP_ROLLBACK, 1, DBM_E_SQL, "XX000");
        DBM_SESSION_OPT(m, NULL, s, .autocommit = (way & 2) != 0, .status = &rc) {
            dbm_bulk *b;
            OK(dbm_bulk_begin(s, &b, "t", "a"));
            for (int i = 1; i <= 6; i++) OK(dbm_bulk_row(b, i));
            OK(dbm_bulk_abandon(b));
            OK(dbm_exec(s, "write after"));
            OK(dbm_bulk_begin(s, &b, "t", "a"));
            OK(dbm_bulk_row(b, 1));
            OK(dbm_bulk_end(b));
        }
        assert_int_equal(rc, DBM_OK);
        assert_int_equal(dbm_stats(on, &stats), DBM_OK);
        assert_int_equal(stats.connects, 2);
        assert_int_equal(v->bulk_kept, 1);
        dbm_manager_free(m);
        assert_int_equal(server_end_all(), 0);
    }
}

/* No transactions at all: what was sent stays, and the session goes on. */
static void without_transactions(void **state) {
    dbm_manager *m = server_manager(NULL);
    server *v = server_make();
    dbm_database *on = server_add(m, v, "sharing", NULL);
    dbm_status rc;
    (void)state;
    v->bulk_window = 4;
    DBM_SESSION_ON(on, s) {
        dbm_bulk *b;
        OK(dbm_bulk_begin(s, &b, "t", "a"));
        for (int i = 1; i <= 6; i++) OK(dbm_bulk_row(b, i));
        OK(dbm_bulk_abandon(b));
        OK(dbm_bulk_begin(s, &b, "t", "a"));
        for (int i = 1; i <= 6; i++) OK(dbm_bulk_row(b, i));
        OK(dbm_bulk_end(b));
        OK(dbm_exec(s, "write after"));
    }
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(server_count(v, DBM_OP_BEGIN), 0);
    assert_int_equal(v->bulk_kept, 4 + 6); /* of the one that was dropped, what had been sent */
    plan(v, DBM_OP_BULK_END, 1, LOSE);
    rc = DBM_OK;
    DBM_SESSION_OPT(m, NULL, s, .status = &rc) {
        dbm_bulk *b;
        OK(dbm_bulk_begin(s, &b, "t", "a"));
        OK(dbm_bulk_row(b, 1));
        SAYS(dbm_bulk_end(b), DBM_E_IN_DOUBT, "may be done or not");
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    dbm_manager_free(m);
    assert_int_equal(server_end_all(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names, open_all, close_all),
        cmocka_unit_test_setup_teardown(c_types, open_all, close_all),
        cmocka_unit_test_setup_teardown(bad_values, open_all, close_all),
        cmocka_unit_test_setup_teardown(models, open_all, close_all),
        cmocka_unit_test_setup_teardown(handles, open_all, close_all),
        cmocka_unit_test_setup_teardown(in_the_way, open_all, close_all),
        cmocka_unit_test_setup_teardown(dropped_inside_of_a_loop, open_all, close_all),
        cmocka_unit_test_setup_teardown(each_row, open_all, close_all),
        cmocka_unit_test_setup_teardown(long_arrays, open_all, close_all),
        cmocka_unit_test(its_own_way), cmocka_unit_test(dropped_with_its_connection),
        cmocka_unit_test(faults),
        cmocka_unit_test(emulated),
        cmocka_unit_test(lost),
        cmocka_unit_test(without_transactions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
