/* libFuzzer target for the public calls: SQL texts and values as they come, through sessions on an in-memory SQLite database.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I. -DDBM_WITH_SQLITE tests/fuzz/fuzz_sql.c -lsqlite3 -lpthread -o fuzz_sql
 * The input is a list of calls. Each: a byte for the call, a byte for how many values, the values (a byte for the type, then bytes), then the
 * text up to a newline. Whatever they are, each failure is reported with words and sticks, the session ends with that outcome, its
 * connection comes back and works, and nothing is left allocated.
 * With -DFUZZ_REPLAY it has a main() of its own that runs the files it is given, for compilers without libFuzzer. */
#define DBM_NO_CONFIG
#define DBM_IMPLEMENTATION
#include "dbm.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "fuzz_sql.c:%d: %s\n  %s %s\n", __LINE__, #condition, dbm_status_name(dbm_last_error()->status), dbm_last_error()->message); \
            abort(); \
        } \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long fuzz_live;
static void *fuzz_alloc(void *ud, size_t size) {
    void *p = malloc(size);
    (void)ud;
    if (p != NULL) fuzz_live++;
    return p;
}
static void *fuzz_resize(void *ud, void *p, size_t size) {
    if (p == NULL) return fuzz_alloc(ud, size);
    return realloc(p, size);
}
static void fuzz_release(void *ud, void *p) {
    (void)ud;
    if (p != NULL) fuzz_live--;
    free(p);
}
static void fuzz_quiet(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    MUST(ud == NULL && level > 0 && event_id > 0 && database != NULL && text != NULL);
}

/* ---- the input --------------------------------------------------------------------------------------------------------- */

typedef struct fuzz_input { const uint8_t *at, *end; } fuzz_input;
static unsigned fuzz_byte(fuzz_input *in) { return in->at < in->end ? *in->at++ : 0; }
static int64_t fuzz_number(fuzz_input *in) {
    uint64_t n = 0;
    unsigned i, count = fuzz_byte(in) % 9;
    for (i = 0; i < count; i++) n = n << 8 | fuzz_byte(in);
    return (int64_t)n;
}

/* One call: its text and values own their memory, so that a late use is seen. */
enum { FUZZ_VALUES = 4 };
typedef struct fuzz_call {
    unsigned kind;
    int count;
    dbm_value values[FUZZ_VALUES];
    char *texts[FUZZ_VALUES];
    char *sql;
} fuzz_call;

static void fuzz_value(fuzz_input *in, fuzz_call *call, int i) {
    static const char *const names[] = { "a", "b", "name", "" };
    unsigned type = fuzz_byte(in), n;
    dbm_value *v = &call->values[i];
    call->texts[i] = NULL;
    switch (type % 12) {
    case 0: *v = dbm_int(fuzz_number(in)); break;
    case 1: *v = dbm_uint((uint64_t)fuzz_number(in)); break;
    case 2: *v = dbm_double((double)fuzz_number(in) / 3.0); break;
    case 3: *v = dbm_bool(fuzz_byte(in) % 2 != 0); break;
    case 4: *v = dbm_timestamp(fuzz_number(in)); break;
    case 5: *v = dbm_null(); break;
    case 6: *v = dbm__invalid(); break;
    default:
        n = fuzz_byte(in);
        if ((size_t)(in->end - in->at) < n) n = (unsigned)(in->end - in->at);
        call->texts[i] = (char *)malloc(n + 1);
        MUST(call->texts[i] != NULL);
        memcpy(call->texts[i], in->at, n);
        call->texts[i][n] = '\0';
        in->at += n;
        switch (type % 12) {
        case 7: *v = dbm_textn(call->texts[i], n); break;
        case 8: *v = dbm_blob(call->texts[i], n); break;
        case 9: *v = dbm_decimal(call->texts[i]); break;
        case 10: *v = dbm_json(call->texts[i]); break;
        default: *v = dbm_text(call->texts[i]); break;
        }
        break;
    }
    if (type >= 128) *v = dbm_named(names[type / 12 % 4], *v);
}

static void fuzz_read(fuzz_input *in, fuzz_call *call) {
    const uint8_t *from;
    size_t n;
    int i;
    call->kind = fuzz_byte(in);
    call->count = (int)(fuzz_byte(in) % (FUZZ_VALUES + 1));
    for (i = 0; i < call->count; i++) fuzz_value(in, call, i);
    from = in->at;
    while (in->at < in->end && *in->at != '\n') in->at++;
    n = (size_t)(in->at - from);
    if (in->at < in->end) in->at++;
    call->sql = (char *)malloc(n + 1);
    MUST(call->sql != NULL);
    if (n != 0) memcpy(call->sql, from, n);
    call->sql[n] = '\0';
}
static void fuzz_drop(fuzz_call *call) {
    int i;
    for (i = 0; i < call->count; i++) free(call->texts[i]);
    free(call->sql);
}

/* ---- what must hold ------------------------------------------------------------------------------------------------------ */

/* A failure is the thread's last one, has words, and sticks to its session; so does an older one. */
static void fuzz_said(dbm_session *s, dbm_status before, dbm_status st) {
    MUST(st >= DBM_OK && st < DBM__STATUS_END);
    if (st == DBM_OK || st == DBM_DONE) return;
    MUST(dbm_last_error()->status == st && dbm_last_error()->message[0] != '\0');
    MUST(strlen(dbm_last_error()->message) < sizeof dbm_last_error()->message && strlen(dbm_last_error()->sqlstate) < 6);
    if (s == NULL) return;
    if (before != DBM_OK) MUST(st == before);
    else if (st != DBM_E_NOT_FOUND) MUST(dbm_status_of(s) == st);
}

static unsigned fuzz_sum; /* of all bytes read, so that all are looked at */

/* Reading a row never goes beyond it, whatever is in it. */
static void fuzz_row(dbm_row *row, unsigned kind) {
    int columns = dbm_row_columns(row), i;
    MUST(columns >= 0);
    for (i = 0; i < columns; i++) {
        dbm_value v = dbm_row_value(row, i);
        size_t n, k;
        const unsigned char *bytes;
        MUST(v.type >= DBM_TYPE_NULL && v.type < DBM_TYPE_INVALID);
        if (v.type == DBM_TYPE_TEXT) MUST(v.as.text.data[v.as.text.size] == '\0');
        MUST(dbm_row_name(row, i) != NULL && dbm_row_is_null(row, i) == (v.type == DBM_TYPE_NULL));
        bytes = (const unsigned char *)dbm_row_blob(row, i, &n);
        for (k = 0; k < n; k++) fuzz_sum += bytes[k];
        fuzz_sum += (unsigned)strlen(dbm_row_text(row, i));
        if (kind & 16u) fuzz_sum += (unsigned)dbm_row_int(row, i);
        if (kind & 32u) fuzz_sum += dbm_row_double(row, i) > 0.5;
        if (kind & 64u) fuzz_sum += (unsigned)dbm_row_timestamp(row, i) + dbm_row_bool(row, i) + (unsigned)dbm_row_uint(row, i);
    }
    if (kind & 128u) fuzz_sum += (unsigned)dbm_row_index(row, "a") + (unsigned)dbm_row_int(row, columns);
}

static void fuzz_rows(dbm_rows *rows, unsigned kind) {
    dbm_row *row;
    int n = 0;
    MUST(dbm_rows_columns(rows) >= 0);
    while (n++ < 50 && dbm_rows_next(rows, &row) == DBM_OK) fuzz_row(row, kind);
    dbm_rows_end(rows);
}

static void fuzz_do(dbm_session *s, const fuzz_call *call) {
    const dbm_value *v = call->values;
    dbm_status before = dbm_status_of(s), st = DBM_OK;
    dbm_rows *rows = NULL;
    dbm_row *row = NULL;
    dbm_statement *prepared = NULL;
    int n = 0;
    switch (call->kind % 8) {
    case 0: fuzz_said(s, before, dbm_execv(s, call->sql, v, call->count)); break;
    case 1:
        st = dbm_queryv(s, &rows, call->sql, v, call->count);
        MUST((st == DBM_OK) == (rows != NULL));
        fuzz_said(s, before, st);
        if (rows != NULL) fuzz_rows(rows, call->kind);
        break;
    case 2:
        st = dbm_query_onev(s, &row, call->sql, v, call->count);
        MUST((st == DBM_OK) == (row != NULL));
        fuzz_said(s, before, st);
        if (row != NULL) fuzz_row(row, call->kind);
        break;
    case 3:
        st = dbm_prepare(s, call->sql, &prepared);
        fuzz_said(s, before, st);
        if (st != DBM_OK) break;
        before = dbm_status_of(s);
        fuzz_said(s, before, dbm__stmt_execv("fuzz", prepared, v, call->count));
        before = dbm_status_of(s);
        st = dbm__stmt_queryv("fuzz", prepared, &rows, v, call->count);
        fuzz_said(s, before, st);
        if (st == DBM_OK) fuzz_rows(rows, call->kind);
        if (call->kind & 16u) dbm_stmt_end(prepared);
        break;
    case 4: fuzz_said(s, before, dbm_script(s, call->sql)); break;
    case 5: /* a savepoint of its own, lifted when it failed */
        DBM_SAVEPOINT_RC(s, &st) (void)dbm_execv(s, call->sql, v, call->count);
        if (before == DBM_OK && st != DBM_OK && dbm_clear_error(s) == DBM_OK) MUST(dbm_status_of(s) == DBM_OK);
        break;
    case 6: /* a write while rows are being read */
        st = dbm_queryv(s, &rows, call->sql, v, call->count);
        fuzz_said(s, before, st);
        while (st == DBM_OK && n++ < 20 && dbm_rows_next(rows, &row) == DBM_OK) {
            if (n % 2 == 1) fuzz_row(row, 0);
            before = dbm_status_of(s);
            fuzz_said(s, before, dbm_exec(s, "INSERT INTO t(a, b) VALUES (?, ?)", n, "more"));
            if (n % 2 == 0) fuzz_row(row, 0);
        }
        dbm_rows_end(rows);
        break;
    default:
        if (call->kind & 16u) (void)dbm_commit(s);
        else if (call->kind & 32u) (void)dbm_rollback(s);
        else (void)dbm_clear_error(s);
        break;
    }
}

/* ---- one input --------------------------------------------------------------------------------------------------------------- */

static void fuzz_limits(dbm_database *db) {
    dbm_session s;
    sqlite3 *handle;
    MUST(dbm_session_begin(db, NULL, &s) == DBM_OK);
    handle = (sqlite3 *)dbm_native(&s, "sqlite");
    MUST(handle != NULL);
    (void)sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0); /* no file is made */
    (void)sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, 1000000);
    (void)sqlite3_limit(handle, SQLITE_LIMIT_VDBE_OP, 25000);
    (void)sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)dbm_rollback(&s);
    (void)dbm_session_end(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dbm_options options;
    dbm_config config;
    dbm_manager *mgr = NULL;
    dbm_database *db;
    dbm_stats_info stats;
    dbm_error_info failed;
    dbm_row *row = NULL;
    dbm_status rc = DBM_OK, st;
    fuzz_input in;
    int calls = 0, i;
    if (size == 0 || size > 4096) return 0;
    (void)sqlite3_hard_heap_limit64(64 << 20); /* a PRAGMA may have lowered them */
    (void)sqlite3_soft_heap_limit64(0);
    in.at = data + 1;
    in.end = data + size;
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    options.allocator.alloc = fuzz_alloc;
    options.allocator.resize = fuzz_resize;
    options.allocator.release = fuzz_release;
    options.log = fuzz_quiet;
    options.no_env = true;
    config.url = "sqlite:///:memory:";
    config.statement_timeout_ms = 50;
    config.statement_cache = 1 + data[0] % 4;
    config.row_buffer = 100000;
    MUST(dbm_manager_create(&mgr, &options) == DBM_OK && dbm_add_database(mgr, &config) == DBM_OK);
    db = dbm_get(mgr, NULL);
    MUST(db != NULL);
    fuzz_limits(db);
    MUST(dbm_script(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b UNIQUE); INSERT INTO t(a, b) VALUES (1, 'x'), (NULL, x'00ff'), (2.5, '3')") == DBM_OK);
    while (in.at < in.end && calls < 16) {
        DBM_SESSION_OPT(mgr, NULL, s, .status = &rc, .autocommit = (data[0] & 128u) != 0) {
            for (i = 0; i < 4 && in.at < in.end; i++, calls++) {
                fuzz_call call;
                fuzz_read(&in, &call);
                fuzz_do(s, &call);
                fuzz_drop(&call);
            }
            st = dbm_status_of(s);
            if ((data[0] & 64u) != 0 && calls > 8) break;
        }
        MUST(dbm_session_failed(&failed) == (rc != DBM_OK && rc != DBM_ROLLED_BACK));
        MUST(rc == DBM_OK || rc == DBM_ROLLED_BACK || (failed.status == rc && failed.message[0] != '\0'));
        MUST(st == DBM_OK || rc == st || rc == DBM_ROLLED_BACK);
        /* The connection is back, and works for the next one. */
        MUST(dbm_stats(db, &stats) == DBM_OK && stats.out == 0 && stats.open == 1 && stats.idle == 1 && stats.broken == 0);
        (void)sqlite3_hard_heap_limit64(64 << 20);
        st = dbm_query_one(db, &row, "SELECT 41 + ?", 1);
        MUST(st == DBM_OK && dbm_row_int(row, 0) == 42);
        dbm_row_end(row);
        st = dbm_exec(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, a, b UNIQUE)");
        MUST(st == DBM_OK || st == DBM_E_SQL || st == DBM_E_READ_ONLY || st == DBM_E_LIMIT); /* t may be a view now; PRAGMA query_only; max_page_count */
    }
    MUST(dbm_close_all(mgr) == DBM_OK);
    dbm_manager_free(mgr);
    MUST(fuzz_live == 0);
    return 0;
}

#if defined(FUZZ_REPLAY)
int main(int argc, char **argv) {
    static uint8_t data[1 << 16];
    int i;
    for (i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) return 1;
        (void)LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, f));
        fclose(f);
    }
    return 0;
}
#endif
