/* unixODBC with each database's own driver: statements prepared once, columns and parameters bound once. A session each is SQLConnect and SQLDisconnect
 * with the driver manager's pooling on, here and in odbcinst.ini; a statement does not outlive them, so there each session prepares again. */
#define BENCH_CONTENDER "odbc"
#include "bench.h"
#include <sql.h>
#include <sqlext.h>

typedef struct statement { SQLHSTMT st; SQLBIGINT id; SQLINTEGER age; double score; char name[64]; SQLLEN id_size, name_size, age_size, score_size; } statement;

static SQLHENV env;
static SQLHDBC con;
static statement find, scan_st, insert_st;

static void check(SQLRETURN rc, const char *what, SQLSMALLINT type, SQLHANDLE handle) {
    SQLCHAR state[6] = "", text[400] = "";
    if (SQL_SUCCEEDED(rc) || rc == SQL_NO_DATA) return; /* a DELETE of nothing has no data */
    SQLGetDiagRec(type, handle, 1, state, NULL, text, sizeof text, NULL);
    bench_die(what, (const char *)text);
}
static void exec(const char *sql) {
    SQLHSTMT st;
    check(SQLAllocHandle(SQL_HANDLE_STMT, con, &st), "statement", SQL_HANDLE_DBC, con);
    check(SQLExecDirect(st, (SQLCHAR *)sql, SQL_NTS), sql, SQL_HANDLE_STMT, st);
    SQLFreeHandle(SQL_HANDLE_STMT, st);
}
static SQLHDBC connect_one(void) {
    check(SQLAllocHandle(SQL_HANDLE_DBC, env, &con), "connection", SQL_HANDLE_ENV, env);
    check(SQLDriverConnect(con, NULL, (SQLCHAR *)bench_environment("BENCH_ODBC"), SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT), "connect", SQL_HANDLE_DBC, con);
    return con;
}
static void start(void) {
    SQLSetEnvAttr(SQL_NULL_HANDLE, SQL_ATTR_CONNECTION_POOLING, (SQLPOINTER)SQL_CP_ONE_PER_DRIVER, SQL_IS_UINTEGER);
    SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &env);
    SQLSetEnvAttr(env, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0);
}
static void prepare(statement *s, const char *sql) {
    check(SQLAllocHandle(SQL_HANDLE_STMT, con, &s->st), "statement", SQL_HANDLE_DBC, con);
    check(SQLPrepare(s->st, (SQLCHAR *)sql, SQL_NTS), sql, SQL_HANDLE_STMT, s->st);
    SQLBindParameter(s->st, 1, SQL_PARAM_INPUT, SQL_C_SBIGINT, SQL_BIGINT, 0, 0, &s->id, 0, NULL);
}
static void bind(statement *s, SQLUSMALLINT column, SQLSMALLINT type, SQLPOINTER at, SQLLEN size, SQLLEN *got) {
    check(SQLBindCol(s->st, column, type, at, size, got), "bind", SQL_HANDLE_STMT, s->st);
}
static void prepare_find(void) {
    prepare(&find, BENCH_LOOKUP("?"));
    bind(&find, 1, SQL_C_CHAR, find.name, sizeof find.name, &find.name_size);
    bind(&find, 2, SQL_C_SLONG, &find.age, sizeof find.age, &find.age_size);
}
static void open_it(void) {
    start();
    connect_one();
    prepare_find();
    prepare(&scan_st, BENCH_SCAN("?"));
    bind(&scan_st, 1, SQL_C_SBIGINT, &scan_st.id, sizeof scan_st.id, &scan_st.id_size);
    bind(&scan_st, 2, SQL_C_CHAR, scan_st.name, sizeof scan_st.name, &scan_st.name_size);
    bind(&scan_st, 3, SQL_C_SLONG, &scan_st.age, sizeof scan_st.age, &scan_st.age_size);
    bind(&scan_st, 4, SQL_C_DOUBLE, &scan_st.score, sizeof scan_st.score, &scan_st.score_size);
    prepare(&insert_st, BENCH_INSERT("?", "?", "?"));
    SQLBindParameter(insert_st.st, 2, SQL_PARAM_INPUT, SQL_C_CHAR, SQL_VARCHAR, sizeof insert_st.name, 0, insert_st.name, sizeof insert_st.name, &insert_st.name_size);
    SQLBindParameter(insert_st.st, 3, SQL_PARAM_INPUT, SQL_C_DOUBLE, SQL_DOUBLE, 0, 0, &insert_st.score, 0, NULL);
}
static void hang_up(SQLHDBC c) {
    SQLDisconnect(c);
    SQLFreeHandle(SQL_HANDLE_DBC, c);
}
static void end(void) { SQLFreeHandle(SQL_HANDLE_ENV, env); }
static void close_it(void) {
    SQLFreeHandle(SQL_HANDLE_STMT, find.st);
    SQLFreeHandle(SQL_HANDLE_STMT, scan_st.st);
    SQLFreeHandle(SQL_HANDLE_STMT, insert_st.st);
    hang_up(con);
    end();
}

static inline void lookup_in(long id) {
    find.id = id;
    check(SQLExecute(find.st), "lookup", SQL_HANDLE_STMT, find.st);
    if (!SQL_SUCCEEDED(SQLFetch(find.st))) bench_die("lookup", "no row");
    bench_user(find.name, find.age);
    SQLFreeStmt(find.st, SQL_CLOSE);
}
static void automatic(bool on) {
    check(SQLSetConnectAttr(con, SQL_ATTR_AUTOCOMMIT, (SQLPOINTER)(on ? SQL_AUTOCOMMIT_ON : SQL_AUTOCOMMIT_OFF), SQL_IS_UINTEGER), "autocommit", SQL_HANDLE_DBC, con);
}
static void commit(void) { check(SQLEndTran(SQL_HANDLE_DBC, con, SQL_COMMIT), "commit", SQL_HANDLE_DBC, con); }
static void lookup(long n) {
    automatic(false);
    for (long i = 0; i < n; i++) lookup_in(bench_id(i));
    commit();
    automatic(true);
}
static void sessions(long n, bool transactions) {
    for (long i = 0; i < n; i++) {
        connect_one();
        if (transactions) automatic(false);
        prepare_find();
        lookup_in(bench_id(i));
        SQLFreeHandle(SQL_HANDLE_STMT, find.st);
        if (transactions) {
            commit();
            automatic(true);
        }
        hang_up(con);
    }
}
static void session(long n) { sessions(n, false); }
static void transaction(long n) { sessions(n, true); }
static void scan(long n) {
    SQLRETURN rc;
    scan_st.id = n;
    check(SQLExecute(scan_st.st), "scan", SQL_HANDLE_STMT, scan_st.st);
    while (SQL_SUCCEEDED(rc = SQLFetch(scan_st.st))) bench_big(scan_st.id, scan_st.name, scan_st.age, scan_st.score);
    check(rc, "scan", SQL_HANDLE_STMT, scan_st.st);
    SQLFreeStmt(scan_st.st, SQL_CLOSE);
}
static void clear(void) { exec(BENCH_CLEAR); }
static void insert(long n) {
    automatic(false);
    for (long id = 1; id <= n; id++) {
        insert_st.id = id;
        insert_st.score = bench_score(id);
        insert_st.name_size = (SQLLEN)strlen(bench_name(id));
        memcpy(insert_st.name, bench_name(id), (size_t)insert_st.name_size + 1);
        check(SQLExecute(insert_st.st), "insert", SQL_HANDLE_STMT, insert_st.st);
    }
    commit();
    automatic(true);
}
static void notes(void) {
    SQLHSTMT st;
    double sum = 0;
    SQLAllocHandle(SQL_HANDLE_STMT, con, &st);
    check(SQLExecDirect(st, (SQLCHAR *)BENCH_NOTES, SQL_NTS), "notes", SQL_HANDLE_STMT, st);
    if (SQL_SUCCEEDED(SQLFetch(st))) SQLGetData(st, 1, SQL_C_DOUBLE, &sum, sizeof sum, NULL);
    bench_sum = (uint64_t)sum;
    SQLFreeHandle(SQL_HANDLE_STMT, st);
}

static void checkouts(long n) {
    for (long i = 0; i < n; i++) {
        hang_up(connect_one());
        bench_sum++;
    }
}
static void idle(long n) {
    SQLHDBC out[10];
    uint64_t sum = bench_sum;
    start();
    for (long i = 0; i < n; i++) {
        out[i] = connect_one();
        prepare_find();
        lookup_in(bench_id(i));
        SQLFreeHandle(SQL_HANDLE_STMT, find.st);
    }
    for (long i = 0; i < n; i++) hang_up(out[i]);
    bench_sum = sum + (uint64_t)n;
}

static const bench_entry entries[] = {
    BENCH_PEER(start, end, insert),
    { "pool_1", "", start, NULL, checkouts, NULL, end },
};

BENCH_MAIN(entries)
