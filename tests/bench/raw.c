/* The reference: what one would write by hand against each driver, plainly but well. Statements are prepared once, one thread to a connection,
 * no pool. Where the driver has better ways for the same work, they are variants of their own. `raw-GROUP fill` makes the data for all. */
#define BENCH_CONTENDER "raw"
#include "bench.h"

/* The group's own driver alone is built in; without a server's that is SQLite. */
#if defined(DBM_WITH_POSTGRESQL) || defined(DBM_WITH_MYSQL) || defined(DBM_WITH_REDIS) || defined(DBM_WITH_MONGODB)
#define BENCH_SERVER
#endif

/* ---- SQLite -------------------------------------------------------------------------------------------------------------------- */

#ifndef BENCH_SERVER
#include <sqlite3.h>

static sqlite3 *lite;
static sqlite3_stmt *lite_find, *lite_begin, *lite_commit, *lite_insert, *lite_scan;

static sqlite3 *lite_connect(int flags) {
    sqlite3 *db;
    if (sqlite3_open_v2(bench_plain("file"), &db, SQLITE_OPEN_READWRITE | flags, NULL) != SQLITE_OK) bench_die("open", sqlite3_errmsg(db));
    return db;
}
static void lite_exec(const char *sql) {
    char *why;
    if (sqlite3_exec(lite, sql, NULL, NULL, &why) != SQLITE_OK) bench_die(sql, why);
}
static sqlite3_stmt *lite_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK) bench_die(sql, sqlite3_errmsg(db));
    return st;
}
static void lite_step(sqlite3_stmt *st) {
    if (sqlite3_step(st) != SQLITE_DONE) bench_die("step", sqlite3_errmsg(sqlite3_db_handle(st)));
    sqlite3_reset(st);
}
static void lite_open_with(int flags) {
    lite = lite_connect(flags);
    lite_find = lite_prepare(lite, BENCH_LOOKUP("?"));
    lite_begin = lite_prepare(lite, "BEGIN");
    lite_commit = lite_prepare(lite, "COMMIT");
    lite_insert = lite_prepare(lite, BENCH_INSERT("?", "?", "?"));
    lite_scan = lite_prepare(lite, BENCH_SCAN("?"));
}
/* As sqlite3_open() does it; and without SQLite's own mutexes, which dbm.h does without too, since a connection has one user at a time. */
static void lite_open(void) { lite_open_with(0); }
static void lite_open_nomutex(void) { lite_open_with(SQLITE_OPEN_NOMUTEX); }
static void lite_close(void) {
    sqlite3_stmt *st;
    while ((st = sqlite3_next_stmt(lite, NULL)) != NULL) sqlite3_finalize(st);
    sqlite3_close(lite);
}

static inline void lite_lookup_in(sqlite3_stmt *st, int64_t id) {
    sqlite3_bind_int64(st, 1, id);
    if (sqlite3_step(st) != SQLITE_ROW) bench_die("lookup", "no row");
    bench_user((const char *)sqlite3_column_text(st, 0), sqlite3_column_int64(st, 1));
    sqlite3_reset(st);
}
static void lite_session(long n) {
    for (long i = 0; i < n; i++) lite_lookup_in(lite_find, bench_id(i));
}
static void lite_lookup(long n) {
    lite_step(lite_begin);
    lite_session(n);
    lite_step(lite_commit);
}
static void lite_transaction(long n) {
    for (long i = 0; i < n; i++) {
        lite_step(lite_begin);
        lite_lookup_in(lite_find, bench_id(i));
        lite_step(lite_commit);
    }
}
static void lite_clear(void) { lite_exec(BENCH_CLEAR); }
static void lite_inserts(long n) {
    lite_step(lite_begin);
    for (long id = 1; id <= n; id++) {
        sqlite3_bind_int64(lite_insert, 1, id);
        sqlite3_bind_text(lite_insert, 2, bench_name(id), -1, SQLITE_STATIC);
        sqlite3_bind_double(lite_insert, 3, bench_score(id));
        lite_step(lite_insert);
    }
    lite_step(lite_commit);
}
static void lite_notes(void) {
    sqlite3_stmt *st = lite_prepare(lite, BENCH_NOTES);
    if (sqlite3_step(st) == SQLITE_ROW) bench_sum = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
}
static void lite_scans(long n) {
    sqlite3_bind_int64(lite_scan, 1, n);
    while (sqlite3_step(lite_scan) == SQLITE_ROW) {
        bench_big(sqlite3_column_int64(lite_scan, 0), (const char *)sqlite3_column_text(lite_scan, 1), sqlite3_column_int64(lite_scan, 2),
                  sqlite3_column_double(lite_scan, 3));
    }
    sqlite3_reset(lite_scan);
}

static void lite_start(long n) {
    for (long i = 0; i < n; i++) {
        sqlite3 *db = lite_connect(0);
        sqlite3_stmt *st = lite_prepare(db, BENCH_LOOKUP("?"));
        lite_lookup_in(st, bench_id(i));
        sqlite3_finalize(st);
        sqlite3_close(db);
    }
}
static void lite_idle(long n) {
    uint64_t sum = bench_sum;
    for (long i = 0; i < n; i++) lite_lookup_in(lite_prepare(lite_connect(0), BENCH_LOOKUP("?")), bench_id(i));
    bench_sum = sum + (uint64_t)n;
}

static void fill(void) {
    lite = lite_connect(SQLITE_OPEN_CREATE);
    lite_exec("PRAGMA journal_mode = WAL; CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER);"
              "CREATE TABLE big(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER, score REAL);"
              "CREATE TABLE notes(id INTEGER PRIMARY KEY, name TEXT NOT NULL, score REAL); BEGIN");
    for (int table = 0; table < 2; table++) {
        sqlite3_stmt *st = lite_prepare(lite, table == 0 ? "INSERT INTO users(id, name, age) VALUES (?, ?, ?)" :
                                                           "INSERT INTO big(id, name, age, score) VALUES (?, ?, ?, ?)");
        for (long id = 1; id <= (table == 0 ? BENCH_USERS : BENCH_BIG); id++) {
            sqlite3_bind_int64(st, 1, id);
            sqlite3_bind_text(st, 2, bench_name(id), -1, SQLITE_STATIC);
            sqlite3_bind_int64(st, 3, bench_age(id));
            if (table == 1) sqlite3_bind_double(st, 4, bench_score(id));
            lite_step(st);
        }
        sqlite3_finalize(st);
    }
    lite_exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_close(lite);
}
#endif

/* ---- PostgreSQL ------------------------------------------------------------------------------------------------------------------ */

#ifdef DBM_WITH_POSTGRESQL
#include <endian.h>
#include <libpq-fe.h>

static PGconn *pg;

static PGresult *pg_expect(PGresult *r, ExecStatusType want) {
    if (PQresultStatus(r) != want) bench_die("postgresql", PQresultErrorMessage(r)[0] != '\0' ? PQresultErrorMessage(r) : PQerrorMessage(pg));
    return r;
}
static void pg_exec(const char *sql) { PQclear(pg_expect(PQexec(pg, sql), PGRES_COMMAND_OK)); }
static void pg_prepare(const char *name, const char *sql) { PQclear(pg_expect(PQprepare(pg, name, sql, 0, NULL), PGRES_COMMAND_OK)); }
static void pg_connect(void) {
    pg = PQconnectdb(bench_url());
    if (PQstatus(pg) != CONNECTION_OK) bench_die("postgresql", PQerrorMessage(pg));
}
static void pg_open(void) {
    pg_connect();
    pg_prepare("find", BENCH_LOOKUP("$1"));
    pg_prepare("scan", BENCH_SCAN("$1"));
    pg_prepare("begin", "BEGIN");
    pg_prepare("commit", "COMMIT");
    pg_prepare("insert", BENCH_INSERT("$1", "$2", "$3"));
}
static void pg_close(void) { PQfinish(pg); }

/* Integers travel in binary, which needs no conversion on either side; answers come as text. */
static const int pg_binary[3] = { 1, 1, 1 };
static inline int64_t pg_int(int64_t v) { return (int64_t)htobe64((uint64_t)v); }
static inline int64_t pg_double(double d) { int64_t bits; memcpy(&bits, &d, sizeof bits); return pg_int(bits); }

typedef struct pg_id { int64_t value; const char *values[1]; int sizes[1]; } pg_id;
static inline void pg_id_set(pg_id *id, int64_t value) { id->value = pg_int(value); id->values[0] = (const char *)&id->value; id->sizes[0] = sizeof id->value; }
static inline void pg_read_user(PGresult *r) {
    pg_expect(r, PGRES_TUPLES_OK);
    if (PQntuples(r) != 1) bench_die("lookup", "no row");
    bench_user(PQgetvalue(r, 0, 0), strtol(PQgetvalue(r, 0, 1), NULL, 10));
    PQclear(r);
}
static inline void pg_lookup_of(int64_t id) {
    pg_id p;
    pg_id_set(&p, id);
    pg_read_user(PQexecPrepared(pg, "find", 1, p.values, p.sizes, pg_binary, 0));
}
static void pg_session(long n) {
    for (long i = 0; i < n; i++) pg_lookup_of(bench_id(i));
}
static void pg_lookup(long n) {
    pg_exec("BEGIN");
    pg_session(n);
    pg_exec("COMMIT");
}
static void pg_transaction(long n) {
    for (long i = 0; i < n; i++) {
        pg_exec("BEGIN");
        pg_lookup_of(bench_id(i));
        pg_exec("COMMIT");
    }
}

static void pg_send(const char *statement, int count, const char *const *values, const int *sizes) {
    if (!PQsendQueryPrepared(pg, statement, count, values, sizes, pg_binary, 0)) bench_die(statement, PQerrorMessage(pg));
}
/* The next answer of a pipeline, which ends with a NULL unless it is a synchronisation. */
static PGresult *pg_answer(ExecStatusType want) {
    PGresult *r = pg_expect(PQgetResult(pg), want);
    if (want != PGRES_PIPELINE_SYNC && PQgetResult(pg) != NULL) bench_die("pipeline", "more than one result");
    return r;
}
static void pg_pipelined(long n, bool all) {
    PQenterPipelineMode(pg);
    for (long i = 0; i < n; i++) {
        pg_id p;
        pg_id_set(&p, bench_id(i));
        pg_send("begin", 0, NULL, NULL);
        pg_send("find", 1, p.values, p.sizes);
        if (all) pg_send("commit", 0, NULL, NULL);
        PQpipelineSync(pg);
        PQclear(pg_answer(PGRES_COMMAND_OK));
        pg_read_user(pg_answer(PGRES_TUPLES_OK));
        if (!all) {
            PQclear(pg_answer(PGRES_PIPELINE_SYNC));
            pg_send("commit", 0, NULL, NULL);
            PQpipelineSync(pg);
        }
        PQclear(pg_answer(PGRES_COMMAND_OK));
        PQclear(pg_answer(PGRES_PIPELINE_SYNC));
    }
    PQexitPipelineMode(pg);
}
static void pg_transaction_begin(long n) { pg_pipelined(n, false); }
static void pg_transaction_all(long n) { pg_pipelined(n, true); }

static void pg_scan(long n) {
    pg_id p;
    PGresult *r;
    pg_id_set(&p, n);
    r = pg_expect(PQexecPrepared(pg, "scan", 1, p.values, p.sizes, pg_binary, 0), PGRES_TUPLES_OK);
    for (int i = 0, rows = PQntuples(r); i < rows; i++) {
        bench_big(strtol(PQgetvalue(r, i, 0), NULL, 10), PQgetvalue(r, i, 1), strtol(PQgetvalue(r, i, 2), NULL, 10), strtod(PQgetvalue(r, i, 3), NULL));
    }
    PQclear(r);
}
static void pg_scan_cursor(long n) {
    char sql[200];
    int rows;
    pg_exec("BEGIN");
    snprintf(sql, sizeof sql, "DECLARE c NO SCROLL CURSOR FOR SELECT id, name, age, score FROM big LIMIT %ld", n);
    pg_exec(sql);
    do {
        PGresult *r = pg_expect(PQexecParams(pg, "FETCH 1000 FROM c", 0, NULL, NULL, NULL, NULL, 1), PGRES_TUPLES_OK);
        rows = PQntuples(r);
        for (int i = 0; i < rows; i++) {
            int64_t id, bits;
            int32_t age;
            double score;
            memcpy(&id, PQgetvalue(r, i, 0), sizeof id);
            memcpy(&age, PQgetvalue(r, i, 2), sizeof age);
            memcpy(&bits, PQgetvalue(r, i, 3), sizeof bits);
            bits = pg_int(bits);
            memcpy(&score, &bits, sizeof score);
            bench_big(pg_int(id), PQgetvalue(r, i, 1), (int32_t)be32toh((uint32_t)age), score);
        }
        PQclear(r);
    } while (rows == 1000);
    pg_exec("COMMIT");
}

static void pg_clear(void) { pg_exec(BENCH_CLEAR); }
static void pg_notes(void) {
    PGresult *r = pg_expect(PQexec(pg, BENCH_NOTES), PGRES_TUPLES_OK);
    bench_sum = (uint64_t)strtod(PQgetvalue(r, 0, 0), NULL);
    PQclear(r);
}
typedef struct pg_note { int64_t id, score; const char *values[3]; int sizes[3]; } pg_note;
static inline void pg_note_set(pg_note *note, const char **values, int *sizes, long id) {
    note->id = pg_int(id);
    note->score = pg_double(bench_score(id));
    values[0] = (const char *)&note->id;
    values[1] = bench_name(id);
    values[2] = (const char *)&note->score;
    sizes[0] = sizes[2] = 8;
    sizes[1] = (int)strlen(values[1]);
}
static void pg_insert(long n) {
    pg_exec("BEGIN");
    for (long id = 1; id <= n; id++) {
        pg_note note;
        pg_note_set(&note, note.values, note.sizes, id);
        PQclear(pg_expect(PQexecPrepared(pg, "insert", 3, note.values, note.sizes, pg_binary, 0), PGRES_COMMAND_OK));
    }
    pg_exec("COMMIT");
}
/* A synchronisation every 200 statements: libpq sends what it has at each, and what is under way fits into the socket's buffers. */
#define BATCH 200
static void pg_insert_pipeline(long n) {
    pg_exec("BEGIN");
    PQenterPipelineMode(pg);
    for (long id = 1; id <= n;) {
        long sent = 0;
        for (; sent < BATCH && id <= n; sent++, id++) {
            pg_note note;
            pg_note_set(&note, note.values, note.sizes, id);
            pg_send("insert", 3, note.values, note.sizes);
        }
        PQpipelineSync(pg);
        while (sent-- > 0) PQclear(pg_answer(PGRES_COMMAND_OK));
        PQclear(pg_answer(PGRES_PIPELINE_SYNC));
    }
    PQexitPipelineMode(pg);
    pg_exec("COMMIT");
}
static void pg_open_values(void) {
    char sql[BATCH * 24 + 100], *at = sql;
    pg_open();
    at += sprintf(at, "INSERT INTO notes(id, name, score) VALUES ");
    for (int i = 0; i < BATCH; i++) at += sprintf(at, "%s($%d, $%d, $%d)", i > 0 ? ", " : "", i * 3 + 1, i * 3 + 2, i * 3 + 3);
    pg_prepare("values", sql);
    pg_prepare("unnest", "INSERT INTO notes(id, name, score) SELECT * FROM unnest($1::bigint[], $2::text[], $3::float8[])");
}
static void pg_insert_values(long n) {
    static pg_note notes_of[BATCH];
    static const char *values[BATCH * 3];
    static int sizes[BATCH * 3], binary[BATCH * 3];
    pg_exec("BEGIN");
    for (long id = 1; id <= n; id += BATCH) { /* n is a multiple of it */
        for (int i = 0; i < BATCH; i++) pg_note_set(&notes_of[i], &values[i * 3], &sizes[i * 3], id + i);
        for (int i = 0; i < BATCH * 3; i++) binary[i] = 1;
        PQclear(pg_expect(PQexecPrepared(pg, "values", BATCH * 3, values, sizes, binary, 0), PGRES_COMMAND_OK));
    }
    pg_exec("COMMIT");
}
/* Growing texts in the server's binary format. */
typedef struct pg_buffer { char data[64 * 1024]; int size; } pg_buffer;
static inline void pg_put(pg_buffer *b, const void *data, int size) { memcpy(b->data + b->size, data, (size_t)size); b->size += size; }
static inline void pg_put_size(pg_buffer *b, int32_t v) { v = (int32_t)htobe32((uint32_t)v); pg_put(b, &v, 4); }
static void pg_put_array(pg_buffer *b, int32_t type) {
    b->size = 0;
    pg_put_size(b, 1);
    pg_put_size(b, 0);
    pg_put_size(b, type);
    pg_put_size(b, BATCH);
    pg_put_size(b, 1);
}
static void pg_insert_unnest(long n) {
    static pg_buffer ids, names, scores;
    const char *values[3] = { ids.data, names.data, scores.data };
    pg_exec("BEGIN");
    for (long id = 1; id <= n;) {
        int sizes[3];
        pg_put_array(&ids, 20);
        pg_put_array(&names, 25);
        pg_put_array(&scores, 701);
        for (int i = 0; i < BATCH; i++, id++) {
            int64_t number = pg_int(id), score = pg_double(bench_score(id));
            int size = (int)strlen(bench_name(id));
            pg_put_size(&ids, 8);
            pg_put(&ids, &number, 8);
            pg_put_size(&names, size);
            pg_put(&names, bench_name(id), size);
            pg_put_size(&scores, 8);
            pg_put(&scores, &score, 8);
        }
        sizes[0] = ids.size;
        sizes[1] = names.size;
        sizes[2] = scores.size;
        PQclear(pg_expect(PQexecPrepared(pg, "unnest", 3, values, sizes, pg_binary, 0), PGRES_COMMAND_OK));
    }
    pg_exec("COMMIT");
}
static void pg_insert_copy(long n) {
    static pg_buffer b;
    static const char head[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
    int16_t columns = (int16_t)htobe16(3), end = -1;
    pg_exec("BEGIN");
    PQclear(pg_expect(PQexec(pg, "COPY notes(id, name, score) FROM STDIN BINARY"), PGRES_COPY_IN));
    b.size = 0;
    pg_put(&b, head, sizeof head);
    for (long id = 1; id <= n; id++) {
        int64_t number = pg_int(id), score = pg_double(bench_score(id));
        int size = (int)strlen(bench_name(id));
        pg_put(&b, &columns, 2);
        pg_put_size(&b, 8);
        pg_put(&b, &number, 8);
        pg_put_size(&b, size);
        pg_put(&b, bench_name(id), size);
        pg_put_size(&b, 8);
        pg_put(&b, &score, 8);
        if (b.size > (int)sizeof b.data - 200) {
            if (PQputCopyData(pg, b.data, b.size) != 1) bench_die("copy", PQerrorMessage(pg));
            b.size = 0;
        }
    }
    pg_put(&b, &end, 2);
    if (PQputCopyData(pg, b.data, b.size) != 1 || PQputCopyEnd(pg, NULL) != 1) bench_die("copy", PQerrorMessage(pg));
    PQclear(pg_answer(PGRES_COMMAND_OK));
    pg_exec("COMMIT");
}

static void fill(void) {
    char sql[1000];
    pg_connect();
    pg_exec("CREATE TABLE users(id bigint PRIMARY KEY, name text NOT NULL, age integer);"
            "CREATE TABLE big(id bigint PRIMARY KEY, name text NOT NULL, age integer, score float8);"
            "CREATE TABLE notes(id bigint, name text NOT NULL, score float8)");
    snprintf(sql, sizeof sql, "INSERT INTO users SELECT i, 'the name of number ' || i %% %ld, i %% 90 FROM generate_series(1, %ld) i;"
             "INSERT INTO big SELECT i, 'the name of number ' || i %% %ld, i %% 90, i * 0.5 FROM generate_series(1, %ld) i;",
             BENCH_USERS, BENCH_USERS, BENCH_USERS, BENCH_BIG);
    pg_exec(sql);
    /* Scans begin at the first row, whoever scanned before. */
    pg_exec("DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET synchronize_seqscans = off'; END $$");
    pg_exec("VACUUM ANALYZE");
    pg_exec("CHECKPOINT");
    PQfinish(pg);
}
#endif

/* ---- MariaDB --------------------------------------------------------------------------------------------------------------------- */

#ifdef DBM_WITH_MYSQL
#include <mysql.h>

static MYSQL *my;
static MYSQL_STMT *my_find, *my_scan_st, *my_insert_st;
static long long my_id;
static char my_name[64];
static unsigned long my_name_size;
static int my_age;
static double my_score;

static void my_fail(const char *what) { bench_die(what, mysql_error(my)); }
static void my_exec(const char *sql) {
    if (mysql_query(my, sql) != 0) my_fail(sql);
}
static MYSQL_STMT *my_prepare(const char *sql) {
    MYSQL_STMT *st = mysql_stmt_init(my);
    if (mysql_stmt_prepare(st, sql, strlen(sql)) != 0) bench_die(sql, mysql_stmt_error(st));
    return st;
}
static void my_execute(MYSQL_STMT *st) {
    if (mysql_stmt_execute(st) != 0) bench_die("execute", mysql_stmt_error(st));
}
static MYSQL_BIND my_bind(enum enum_field_types type, void *at, size_t size, unsigned long *length) {
    MYSQL_BIND b;
    memset(&b, 0, sizeof b);
    b.buffer_type = type;
    b.buffer = at;
    b.buffer_length = size;
    b.length = length;
    return b;
}
static void my_connect_with(bool nonblocking) {
    my = mysql_init(NULL);
#ifdef MARIADB_BASE_VERSION
    if (nonblocking) mysql_options(my, MYSQL_OPT_NONBLOCK, NULL);
#else
    (void)nonblocking;
#endif
    if (mysql_real_connect(my, "localhost", bench_plain("user"), bench_plain("password"), bench_plain("dbname"), 0, bench_plain("socket"), CLIENT_MULTI_STATEMENTS) == NULL) {
        my_fail("connect");
    }
}
static void my_connect(void) { my_connect_with(false); }
static void my_open(void) {
    MYSQL_BIND in[3], out[4];
    my_connect();
    my_find = my_prepare(BENCH_LOOKUP("?"));
    my_scan_st = my_prepare(BENCH_SCAN("?"));
    my_insert_st = my_prepare(BENCH_INSERT("?", "?", "?"));
    in[0] = my_bind(MYSQL_TYPE_LONGLONG, &my_id, sizeof my_id, NULL);
    in[1] = my_bind(MYSQL_TYPE_STRING, my_name, sizeof my_name, &my_name_size);
    in[2] = my_bind(MYSQL_TYPE_DOUBLE, &my_score, sizeof my_score, NULL);
    mysql_stmt_bind_param(my_find, in);
    mysql_stmt_bind_param(my_scan_st, in);
    mysql_stmt_bind_param(my_insert_st, in);
    out[0] = my_bind(MYSQL_TYPE_LONGLONG, &my_id, sizeof my_id, NULL);
    out[1] = my_bind(MYSQL_TYPE_STRING, my_name, sizeof my_name, &my_name_size);
    out[2] = my_bind(MYSQL_TYPE_LONG, &my_age, sizeof my_age, NULL);
    out[3] = my_bind(MYSQL_TYPE_DOUBLE, &my_score, sizeof my_score, NULL);
    mysql_stmt_bind_result(my_scan_st, out);
    mysql_stmt_bind_result(my_find, out + 1);
}
static void my_close(void) {
    mysql_stmt_close(my_find);
    mysql_stmt_close(my_scan_st);
    mysql_stmt_close(my_insert_st);
    mysql_close(my);
}
static void my_session(long n) {
    for (long i = 0; i < n; i++) {
        my_id = bench_id(i);
        my_execute(my_find);
        if (mysql_stmt_fetch(my_find) != 0) bench_die("lookup", "no row");
        bench_user(my_name, my_age);
        mysql_stmt_free_result(my_find);
    }
}
static void my_lookup(long n) {
    my_exec("START TRANSACTION");
    my_session(n);
    my_exec("COMMIT");
}
/* Unbuffered: rows are read from the socket as they come. */
static void my_scan(long n) {
    int rc;
    my_id = n;
    my_execute(my_scan_st);
    while ((rc = mysql_stmt_fetch(my_scan_st)) == 0) bench_big(my_id, my_name, my_age, my_score);
    if (rc != MYSQL_NO_DATA) bench_die("scan", mysql_stmt_error(my_scan_st));
    mysql_stmt_free_result(my_scan_st);
}
static void my_clear(void) { my_exec(BENCH_CLEAR); } /* as all do: inserts into a table that is made anew are slower */
static void my_notes(void) {
    MYSQL_RES *r;
    my_exec(BENCH_NOTES);
    r = mysql_store_result(my);
    bench_sum = (uint64_t)strtod(mysql_fetch_row(r)[0], NULL);
    mysql_free_result(r);
}
static void my_insert(long n) {
    my_exec("START TRANSACTION");
    for (long id = 1; id <= n; id++) {
        my_id = id;
        my_score = bench_score(id);
        my_name_size = strlen(bench_name(id));
        memcpy(my_name, bench_name(id), my_name_size);
        my_execute(my_insert_st);
    }
    my_exec("COMMIT");
}
#define BATCH 200
static void my_insert_values(long n) {
    static MYSQL_BIND binds[BATCH * 3];
    static long long ids[BATCH];
    static double scores[BATCH];
    static unsigned long sizes[BATCH];
    static MYSQL_STMT *st;
    if (st == NULL) {
        char sql[BATCH * 12 + 100], *at = sql;
        at += sprintf(at, "INSERT INTO notes(id, name, score) VALUES ");
        for (int i = 0; i < BATCH; i++) at += sprintf(at, "%s(?, ?, ?)", i > 0 ? ", " : "");
        st = my_prepare(sql);
    }
    my_exec("START TRANSACTION");
    for (long id = 1; id <= n; id += BATCH) { /* n is a multiple of it */
        for (int i = 0; i < BATCH; i++) {
            ids[i] = id + i;
            scores[i] = bench_score(id + i);
            sizes[i] = strlen(bench_name(id + i));
            binds[i * 3] = my_bind(MYSQL_TYPE_LONGLONG, &ids[i], 8, NULL);
            binds[i * 3 + 1] = my_bind(MYSQL_TYPE_STRING, bench_names[(id + i) % BENCH_USERS], sizes[i], &sizes[i]);
            binds[i * 3 + 2] = my_bind(MYSQL_TYPE_DOUBLE, &scores[i], 8, NULL);
        }
        mysql_stmt_bind_param(st, binds);
        my_execute(st);
    }
    my_exec("COMMIT");
}
#ifdef MARIADB_BASE_VERSION
/* Array binding, which MariaDB's own client and server have: columns of values, one execution. */
static void my_insert_array(long n) {
    enum { ROWS = 1000 };
    static long long ids[ROWS];
    static double scores[ROWS];
    static unsigned long sizes[ROWS];
    static char *names[ROWS];
    MYSQL_BIND in[3];
    MYSQL_STMT *st = my_prepare(BENCH_INSERT("?", "?", "?"));
    in[0] = my_bind(MYSQL_TYPE_LONGLONG, ids, 8, NULL);
    in[1] = my_bind(MYSQL_TYPE_STRING, names, 0, sizes);
    in[2] = my_bind(MYSQL_TYPE_DOUBLE, scores, 8, NULL);
    my_exec("START TRANSACTION");
    for (long id = 1; id <= n;) {
        unsigned int rows = 0;
        for (; rows < ROWS && id <= n; rows++, id++) {
            ids[rows] = id;
            names[rows] = bench_names[id % BENCH_USERS];
            sizes[rows] = strlen(names[rows]);
            scores[rows] = bench_score(id);
        }
        mysql_stmt_attr_set(st, STMT_ATTR_ARRAY_SIZE, &rows);
        mysql_stmt_bind_param(st, in);
        my_execute(st);
    }
    my_exec("COMMIT");
    mysql_stmt_close(st);
}
#endif

static void fill(void) {
    char sql[600];
    my_connect();
    my_exec("CREATE TABLE users(id bigint PRIMARY KEY, name varchar(60) NOT NULL, age integer)");
    my_exec("CREATE TABLE big(id bigint PRIMARY KEY, name varchar(60) NOT NULL, age integer, score double)");
    my_exec("CREATE TABLE notes(id bigint PRIMARY KEY, name varchar(60) NOT NULL, score double)");
    for (int table = 0; table < 2; table++) {
        snprintf(sql, sizeof sql, "INSERT INTO %s SELECT seq, concat('the name of number ', seq %% %ld), seq %% 90%s FROM seq_1_to_%ld", table == 0 ? "users" : "big",
                 BENCH_USERS, table == 0 ? "" : ", seq * 0.5", table == 0 ? BENCH_USERS : BENCH_BIG);
        my_exec(sql);
    }
    /* A user whose password APR can read: it ends words at a semicolon. */
    my_exec("CREATE USER IF NOT EXISTS bench@'%' IDENTIFIED BY 'bench'");
    my_exec("GRANT ALL ON *.* TO bench@'%'");
    mysql_close(my);
}
#endif

/* ---- Redis ----------------------------------------------------------------------------------------------------------------------- */

#ifdef DBM_WITH_REDIS
#include <hiredis/hiredis.h>

static redisContext *redis;

static redisReply *redis_expect(void *reply, int type) {
    redisReply *r = (redisReply *)reply;
    if (r == NULL || r->type != type) bench_die("redis", r != NULL && r->str != NULL ? r->str : redis->errstr);
    return r;
}
static void redis_open(void) {
    redis = redisConnectUnix(bench_plain("socket"));
    if (redis == NULL || redis->err) bench_die("redis", redis != NULL ? redis->errstr : "no memory");
    freeReplyObject(redis_expect(redisCommand(redis, "AUTH %s %s", bench_plain("user"), bench_plain("password")), REDIS_REPLY_STATUS));
    freeReplyObject(redis_expect(redisCommand(redis, "SELECT %s", bench_plain("dbname")), REDIS_REPLY_STATUS));
}
static void redis_close(void) { redisFree(redis); }
/* The words as they are: nothing is parsed. */
static inline int redis_words(long id, const char **words, size_t *sizes) {
    words[0] = "GET";
    sizes[0] = 3;
    sizes[1] = bench_key(id, &words[1]);
    return 2;
}
static void redis_get(long n) {
    for (long i = 0; i < n; i++) {
        const char *words[2];
        size_t sizes[2];
        redisReply *r = redis_expect(redisCommandArgv(redis, redis_words(bench_id(i), words, sizes), words, sizes), REDIS_REPLY_STRING);
        bench_user(r->str, 0);
        freeReplyObject(r);
    }
}
static void redis_pipeline_by(long n, bool format) {
    for (long i = 0; i < n;) {
        long sent = 0;
        for (; sent < 100 && i < n; sent++, i++) {
            const char *words[2];
            size_t sizes[2];
            int count = redis_words(bench_id(i), words, sizes);
            if (format) redisAppendCommand(redis, "GET %s", words[1]);
            else redisAppendCommandArgv(redis, count, words, sizes);
        }
        while (sent-- > 0) {
            void *reply = NULL;
            redisGetReply(redis, &reply);
            bench_user(redis_expect(reply, REDIS_REPLY_STRING)->str, 0);
            freeReplyObject(reply);
        }
    }
}
static void redis_pipeline(long n) { redis_pipeline_by(n, false); }
static void redis_pipeline_format(long n) { redis_pipeline_by(n, true); }
static void fill(void) {
    redis_open();
    for (long id = 1; id <= BENCH_USERS; id++) freeReplyObject(redis_expect(redisCommand(redis, "SET user:%d %s", (int)id, bench_name(id)), REDIS_REPLY_STATUS));
    redisFree(redis);
}
#endif

/* ---- MongoDB --------------------------------------------------------------------------------------------------------------------- */

#ifdef DBM_WITH_MONGODB
#include <mongoc/mongoc.h>

static mongoc_client_t *mongo;
static mongoc_collection_t *mongo_users, *mongo_notes;
static bson_error_t mongo_error;

static void mongo_open(void) {
    mongoc_init();
    mongo = mongoc_client_new(bench_url());
    if (mongo == NULL) bench_die("mongodb", "the URL");
    mongo_users = mongoc_client_get_collection(mongo, bench_plain("dbname"), "users");
    mongo_notes = mongoc_client_get_collection(mongo, bench_plain("dbname"), "notes");
}
static void mongo_close(void) {
    mongoc_collection_destroy(mongo_users);
    mongoc_collection_destroy(mongo_notes);
    mongoc_client_destroy(mongo);
    mongoc_cleanup();
}
static void mongo_find(long n) {
    bson_t *one = BCON_NEW("limit", BCON_INT64(1), "singleBatch", BCON_BOOL(true));
    for (long i = 0; i < n; i++) {
        bson_t filter = BSON_INITIALIZER;
        const bson_t *doc;
        bson_iter_t name, age;
        mongoc_cursor_t *cursor;
        BSON_APPEND_INT64(&filter, "_id", bench_id(i));
        cursor = mongoc_collection_find_with_opts(mongo_users, &filter, one, NULL);
        if (!mongoc_cursor_next(cursor, &doc) || !bson_iter_init_find(&name, doc, "name") || !bson_iter_init_find(&age, doc, "age")) bench_die("find", "no document");
        bench_user(bson_iter_utf8(&name, NULL), bson_iter_as_int64(&age));
        mongoc_cursor_destroy(cursor);
        bson_destroy(&filter);
    }
    bson_destroy(one);
}
static void mongo_clear(void) {
    bson_t all = BSON_INITIALIZER;
    if (!mongoc_collection_delete_many(mongo_notes, &all, NULL, NULL, &mongo_error)) bench_die("delete", mongo_error.message);
    bson_destroy(&all);
}
static void mongo_insert_into(mongoc_collection_t *into, long n, bool ages) {
    enum { DOCUMENTS = 1000 };
    static bson_t documents[DOCUMENTS];
    const bson_t *list[DOCUMENTS];
    for (long id = 1; id <= n;) {
        size_t count = 0;
        for (; count < DOCUMENTS && id <= n; count++, id++) {
            list[count] = &documents[count];
            bson_init(&documents[count]);
            BSON_APPEND_INT64(&documents[count], "_id", id);
            BSON_APPEND_UTF8(&documents[count], "name", bench_name(id));
            if (ages) {
                BSON_APPEND_INT64(&documents[count], "age", bench_age(id));
            } else {
                BSON_APPEND_DOUBLE(&documents[count], "score", bench_score(id));
            }
        }
        if (!mongoc_collection_insert_many(into, list, count, NULL, NULL, &mongo_error)) bench_die("insert_many", mongo_error.message);
        while (count > 0) bson_destroy(&documents[--count]);
    }
}
static void mongo_insert(long n) { mongo_insert_into(mongo_notes, n, false); }
static void mongo_check(void) {
    bson_t all = BSON_INITIALIZER;
    const bson_t *doc;
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(mongo_notes, &all, NULL, NULL);
    bench_sum = 0;
    while (mongoc_cursor_next(cursor, &doc)) {
        bson_iter_t id, name, score;
        if (!bson_iter_init_find(&id, doc, "_id") || !bson_iter_init_find(&name, doc, "name") || !bson_iter_init_find(&score, doc, "score")) bench_die("check", "a field");
        bench_big(bson_iter_as_int64(&id), bson_iter_utf8(&name, NULL), 0, bson_iter_double(&score));
    }
    mongoc_cursor_destroy(cursor);
    bson_destroy(&all);
}
static void fill(void) {
    mongo_open();
    mongo_insert_into(mongo_users, BENCH_USERS, true);
    mongo_close();
}
#endif

/* ---- taking one of four slots and giving it back ------------------------------------------------------------------------------- */

#ifndef BENCH_SERVER
#include <sched.h>
#define SLOTS 4
static struct { int taken; long uses; char apart[48]; } slots[SLOTS];
static __thread unsigned slot_mine; /* the slot this thread had last: nobody else has touched it since, if all goes well */
static uint32_t slots_free = (1u << SLOTS) - 1;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slots_returned = PTHREAD_COND_INITIALIZER;

static long slots_affine(long n) {
    for (long i = 0; i < n; i++) {
        unsigned at = slot_mine, tries = 0;
        int none = 0;
        while (!__atomic_compare_exchange_n(&slots[at].taken, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            none = 0;
            at = (at + 1) % SLOTS;
            if (++tries % SLOTS == 0) sched_yield();
        }
        slot_mine = at;
        slots[at].uses++;
        __atomic_store_n(&slots[at].taken, 0, __ATOMIC_RELEASE);
    }
    return n;
}
static long slots_bitmap(long n) {
    for (long i = 0; i < n; i++) {
        uint32_t word = __atomic_load_n(&slots_free, __ATOMIC_RELAXED);
        int at;
        do {
            while (word == 0) {
                sched_yield();
                word = __atomic_load_n(&slots_free, __ATOMIC_RELAXED);
            }
            at = __builtin_ctz(word);
        } while (!__atomic_compare_exchange_n(&slots_free, &word, word & ~(1u << at), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
        slots[at].uses++;
        __atomic_fetch_or(&slots_free, 1u << at, __ATOMIC_RELEASE);
    }
    return n;
}
static long slots_mutex(long n) {
    for (long i = 0; i < n; i++) {
        int at;
        pthread_mutex_lock(&slots_lock);
        while (slots_free == 0) pthread_cond_wait(&slots_returned, &slots_lock);
        at = __builtin_ctz(slots_free);
        slots_free &= ~(1u << at);
        pthread_mutex_unlock(&slots_lock);
        slots[at].uses++;
        pthread_mutex_lock(&slots_lock);
        slots_free |= 1u << at;
        pthread_cond_signal(&slots_returned);
        pthread_mutex_unlock(&slots_lock);
    }
    return n;
}
/* The loop alone, which is not the slot's. */
static void slots_loop(long n) {
    for (long i = 0; i < n; i++) __asm__ volatile("" : "+r"(i));
    bench_sum += (uint64_t)n;
}
static void slots_affine_1(long n) { bench_sum += (uint64_t)slots_affine(n); }
static void slots_bitmap_1(long n) { bench_sum += (uint64_t)slots_bitmap(n); }
static void slots_mutex_1(long n) { bench_sum += (uint64_t)slots_mutex(n); }
static void slots_affine_2(long n) { bench_threads(2, n, slots_affine); }
static void slots_affine_4(long n) { bench_threads(4, n, slots_affine); }
static void slots_affine_8(long n) { bench_threads(8, n, slots_affine); }
static void slots_bitmap_2(long n) { bench_threads(2, n, slots_bitmap); }
static void slots_bitmap_4(long n) { bench_threads(4, n, slots_bitmap); }
static void slots_bitmap_8(long n) { bench_threads(8, n, slots_bitmap); }
static void slots_mutex_2(long n) { bench_threads(2, n, slots_mutex); }
static void slots_mutex_4(long n) { bench_threads(4, n, slots_mutex); }
static void slots_mutex_8(long n) { bench_threads(8, n, slots_mutex); }
#endif

#include "raw_async.h"

/* ---- what there is --------------------------------------------------------------------------------------------------------------- */

static const bench_entry entries[] = {
#ifndef BENCH_SERVER
    { "sqlite_lookup", "", lite_open, NULL, lite_lookup, NULL, lite_close },
    { "sqlite_lookup", "nomutex", lite_open_nomutex, NULL, lite_lookup, NULL, lite_close },
    { "sqlite_nostats", "", lite_open, NULL, lite_lookup, NULL, lite_close },
    { "sqlite_session", "", lite_open, NULL, lite_session, NULL, lite_close },
    { "sqlite_transaction", "", lite_open, NULL, lite_transaction, NULL, lite_close },
    { "sqlite_transaction", "nomutex", lite_open_nomutex, NULL, lite_transaction, NULL, lite_close },
    { "sqlite_insert", "", lite_open, lite_clear, lite_inserts, lite_notes, lite_close },
    { "sqlite_scan", "", lite_open, NULL, lite_scans, NULL, lite_close },
#endif
#ifdef DBM_WITH_POSTGRESQL
    { "postgresql_lookup", "", pg_open, NULL, pg_lookup, NULL, pg_close },
    { "postgresql_session", "", pg_open, NULL, pg_session, NULL, pg_close },
    { "postgresql_transaction", "", pg_open, NULL, pg_transaction, NULL, pg_close },
    { "postgresql_transaction", "begin", pg_open, NULL, pg_transaction_begin, NULL, pg_close },
    { "postgresql_transaction", "pipeline", pg_open, NULL, pg_transaction_all, NULL, pg_close },
    { "postgresql_scan", "", pg_open, NULL, pg_scan, NULL, pg_close },
    { "postgresql_scan", "cursor", pg_open, NULL, pg_scan_cursor, NULL, pg_close },
    { "postgresql_insert", "", pg_open, pg_clear, pg_insert, pg_notes, pg_close },
    { "postgresql_insert", "pipeline", pg_open, pg_clear, pg_insert_pipeline, pg_notes, pg_close },
    { "postgresql_insert", "values", pg_open_values, pg_clear, pg_insert_values, pg_notes, pg_close },
    { "postgresql_insert", "unnest", pg_open_values, pg_clear, pg_insert_unnest, pg_notes, pg_close },
    { "postgresql_insert", "copy", pg_open, pg_clear, pg_insert_copy, pg_notes, pg_close },
    { "async_postgresql", "", pg_lines_open, NULL, pg_lines_each, NULL, pg_lines_close },
    { "async_postgresql", "sync16", pg_lines_open, NULL, pg_lines_16, NULL, pg_lines_close },
    { "async_postgresql", "alone", pg_lines_open_alone, NULL, pg_lines_alone, NULL, pg_lines_close },
#endif
#ifdef DBM_WITH_MYSQL
    { "mariadb_lookup", "", my_open, NULL, my_lookup, NULL, my_close },
    { "mariadb_session", "", my_open, NULL, my_session, NULL, my_close },
    { "mariadb_scan", "", my_open, NULL, my_scan, NULL, my_close },
    { "mariadb_insert", "", my_open, my_clear, my_insert, my_notes, my_close },
    { "mariadb_insert", "values", my_open, my_clear, my_insert_values, my_notes, my_close },
#ifdef MARIADB_BASE_VERSION
    { "mariadb_insert", "array", my_open, my_clear, my_insert_array, my_notes, my_close },
    { "async_mariadb", "", my_lines_open, NULL, my_lines_run, NULL, my_lines_close },
#endif
#endif
#ifdef DBM_WITH_REDIS
    { "redis_get", "", redis_open, NULL, redis_get, NULL, redis_close },
    { "redis_pipeline", "", redis_open, NULL, redis_pipeline, NULL, redis_close },
    { "redis_pipeline", "format", redis_open, NULL, redis_pipeline_format, NULL, redis_close },
    { "async_redis", "", redis_lines_open, NULL, redis_lines_run, NULL, redis_lines_close },
#endif
#ifdef DBM_WITH_MONGODB
    { "mongodb_find", "", mongo_open, NULL, mongo_find, NULL, mongo_close },
    { "mongodb_insert", "", mongo_open, mongo_clear, mongo_insert, mongo_check, mongo_close },
#endif
#ifndef BENCH_SERVER
    { "start_sqlite", "", NULL, NULL, lite_start, NULL, NULL },
    { "start_idle", "", NULL, NULL, lite_idle, NULL, NULL },
    { "pool_1", "", NULL, NULL, slots_affine_1, NULL, NULL },
    { "pool_1", "loop", NULL, NULL, slots_loop, NULL, NULL },
    { "pool_1", "bitmap", NULL, NULL, slots_bitmap_1, NULL, NULL },
    { "pool_1", "mutex", NULL, NULL, slots_mutex_1, NULL, NULL },
    { "pool_2", "", NULL, NULL, slots_affine_2, NULL, NULL },
    { "pool_2", "bitmap", NULL, NULL, slots_bitmap_2, NULL, NULL },
    { "pool_2", "mutex", NULL, NULL, slots_mutex_2, NULL, NULL },
    { "pool_4", "", NULL, NULL, slots_affine_4, NULL, NULL },
    { "pool_4", "bitmap", NULL, NULL, slots_bitmap_4, NULL, NULL },
    { "pool_4", "mutex", NULL, NULL, slots_mutex_4, NULL, NULL },
    { "pool_8", "", NULL, NULL, slots_affine_8, NULL, NULL },
    { "pool_8", "bitmap", NULL, NULL, slots_bitmap_8, NULL, NULL },
    { "pool_8", "mutex", NULL, NULL, slots_mutex_8, NULL, NULL },
#endif
};

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "fill") == 0) {
        bench_make_names();
        fill();
        return 0;
    }
    return bench_main(argc, argv, entries, sizeof entries / sizeof entries[0]);
}
