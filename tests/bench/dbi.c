/* libdbi: it has neither prepared statements nor a pool, so values are written into the text (dbi_conn_queryf, texts quoted), and one connection does
 * all; the rows with a session each are those of that one connection. */
#define BENCH_CONTENDER "dbi"
#include "bench.h"
#include <dbi/dbi.h>

static dbi_inst instance;
static dbi_conn con;

static void fail(const char *what) {
    const char *why = NULL;
    dbi_conn_error(con, &why);
    bench_die(what, why != NULL ? why : "failed");
}
/* $BENCH_DBI: the driver, then option=value. */
static dbi_conn connect_one(void) {
    char words[600], *word, *rest = words;
    snprintf(words, sizeof words, "%s", bench_environment("BENCH_DBI"));
    con = dbi_conn_new_r(strtok_r(rest, " ", &rest), instance);
    if (con == NULL) bench_die("dbi", "no such driver");
    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        if (strcmp(word, "port") == 0) {
            dbi_conn_set_option_numeric(con, word, atoi(value));
        } else {
            dbi_conn_set_option(con, word, value);
        }
    }
    if (dbi_conn_connect(con) < 0) fail("connect");
    return con;
}
static void open_it(void) {
    if (dbi_initialize_r(NULL, &instance) <= 0) bench_die("dbi", "no drivers");
    connect_one();
}
static void close_it(void) {
    dbi_conn_close(con);
    dbi_shutdown_r(instance);
}

static inline void lookup_in(long id) {
    dbi_result r = dbi_conn_queryf(con, BENCH_LOOKUP("%ld"), id);
    if (r == NULL || !dbi_result_next_row(r)) fail("lookup");
    bench_user(dbi_result_get_string_idx(r, 1), dbi_result_get_as_longlong_idx(r, 2));
    dbi_result_free(r);
}
static void begin(void) {
    if (dbi_conn_transaction_begin(con) != 0) fail("begin");
}
static void commit(void) {
    if (dbi_conn_transaction_commit(con) != 0) fail("commit");
}
static void session(long n) {
    for (long i = 0; i < n; i++) lookup_in(bench_id(i));
}
static void lookup(long n) {
    begin();
    session(n);
    commit();
}
static void transaction(long n) {
    for (long i = 0; i < n; i++) {
        begin();
        lookup_in(bench_id(i));
        commit();
    }
}
static void scan(long n) {
    dbi_result r = dbi_conn_queryf(con, BENCH_SCAN("%ld"), n);
    if (r == NULL) fail("scan");
    while (dbi_result_next_row(r)) {
        bench_big(dbi_result_get_as_longlong_idx(r, 1), dbi_result_get_string_idx(r, 2), dbi_result_get_as_longlong_idx(r, 3), dbi_result_get_double_idx(r, 4));
    }
    dbi_result_free(r);
}
static void run(const char *sql) {
    dbi_result r = dbi_conn_query(con, sql);
    if (r == NULL) fail(sql);
    dbi_result_free(r);
}
static void clear(void) { run(BENCH_CLEAR); }
static void insert(long n) {
    begin();
    for (long id = 1; id <= n; id++) {
        char *name, score[32];
        dbi_result r;
        snprintf(score, sizeof score, "%.17g", bench_score(id)); /* libdbi's own formats cut it off */
        dbi_conn_quote_string_copy(con, bench_name(id), &name);
        r = dbi_conn_queryf(con, BENCH_INSERT("%ld", "%s", "%s"), id, name, score);
        free(name);
        if (r == NULL) fail("insert");
        dbi_result_free(r);
    }
    commit();
}
static void notes(void) {
    dbi_result r = dbi_conn_query(con, BENCH_NOTES);
    if (r == NULL || !dbi_result_next_row(r)) fail("notes");
    if (dbi_result_get_field_type_idx(r, 1) == DBI_TYPE_DECIMAL) {
        bench_sum = (uint64_t)dbi_result_get_double_idx(r, 1);
    } else { /* of an expression, SQLite's driver does not know the type */
        char *sum = dbi_result_get_as_string_copy_idx(r, 1);
        bench_sum = sum != NULL ? (uint64_t)strtod(sum, NULL) : 0;
        free(sum);
    }
    dbi_result_free(r);
}
static void starts(long n) {
    for (long i = 0; i < n; i++) {
        open_it();
        lookup_in(bench_id(i));
        close_it();
    }
}
static void idle(long n) {
    uint64_t sum = bench_sum;
    dbi_initialize_r(NULL, &instance);
    for (long i = 0; i < n; i++) {
        connect_one();
        lookup_in(bench_id(i));
    }
    bench_sum = sum + (uint64_t)n;
}

static const bench_entry entries[] = {
    BENCH_PEER(open_it, close_it, insert),
    { "start_sqlite", "", NULL, NULL, starts, NULL, NULL },
};

BENCH_MAIN(entries)
