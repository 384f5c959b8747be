/* What sqlite_threads.sh runs: `writers` threads write for `ms` milliseconds, each row in a transaction of its own, beside `readers` threads
 * that look rows up; by dbm.h, or by sqlite3.h as it is written by hand (BEGIN IMMEDIATE and sqlite3_busy_timeout, a connection a thread).
 * Prints: commits a second, longest wait of a writer for its turn in us (the median beside it), reads a second, longest read in us, how often
 * SQLITE_BUSY was seen, and other failures. The rows are counted at the end. */
#define DBM_IMPLEMENTATION
#include "dbm.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 64, SAMPLES = 65536 };
static const char insert[] = "INSERT INTO log(who, what, n) VALUES (?, ?, ?)", find[] = "SELECT name, age FROM users WHERE id = ?";
typedef struct worker {
    pthread_t thread;
    int number;
    bool writes;
    long done, busy, failed, longest_us;
    int samples;
    int waits[SAMPLES];
} worker;
static worker workers[THREADS];
static const char *path, *synchronous;
static dbm_database *db; /* NULL: by hand */
static int stop;
static pthread_barrier_t start;

static void die(const char *what, const char *why) {
    fprintf(stderr, "sqlite_threads: %s: %s\n", what, why);
    exit(2);
}
static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static void took(worker *w, long us) {
    w->done++;
    if (us > w->longest_us) w->longest_us = us;
    if (w->samples < SAMPLES) w->waits[w->samples++] = (int)us;
}
static bool go_on(void) { return !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); }

static void dbm_failed(worker *w) {
    dbm_error_info e;
    if (!dbm_session_failed(&e)) return;
    w->done--;
    if ((e.native_code & 0xff) == SQLITE_BUSY) w->busy++; else w->failed++;
    fprintf(stderr, "sqlite_threads: %s\n", e.message);
}
static void dbm_write_one(worker *w) {
    long t = now_us();
    DBM_SESSION_ON(db, s) if (dbm_exec(s, insert, w->number, "a line of text", w->done) == DBM_OK) took(w, now_us() - t);
    dbm_failed(w);
}
static void dbm_read_one(worker *w) {
    long t = now_us();
    dbm_row *row;
    DBM_SESSION_ON(db, s) if (dbm_query_one(s, &row, find, w->done % 100 + 1) == DBM_OK && dbm_row_text(row, 0)[0] == 'n') took(w, now_us() - t);
    dbm_failed(w);
}

static sqlite3_stmt *prepare(sqlite3 *raw, const char *sql) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v3(raw, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK) die(sql, sqlite3_errmsg(raw));
    return st;
}
static bool step(worker *w, sqlite3_stmt *st, int expected) {
    int rc = sqlite3_step(st);
    if (rc == expected) return true;
    if ((rc & 0xff) == SQLITE_BUSY) w->busy++; else w->failed++;
    sqlite3_reset(st);
    return false;
}
static void raw_loop(worker *w) {
    sqlite3 *raw;
    sqlite3_stmt *begin, *commit, *one;
    char text[64];
    snprintf(text, sizeof text, "PRAGMA synchronous = %s", synchronous);
    if (sqlite3_open(path, &raw) != SQLITE_OK) die("open", sqlite3_errmsg(raw));
    sqlite3_busy_timeout(raw, 5000);
    if (sqlite3_exec(raw, text, NULL, NULL, NULL) != SQLITE_OK) die(text, sqlite3_errmsg(raw));
    begin = prepare(raw, w->writes ? "BEGIN IMMEDIATE" : "BEGIN");
    commit = prepare(raw, "COMMIT");
    one = prepare(raw, w->writes ? insert : find);
    pthread_barrier_wait(&start);
    while (go_on()) {
        long t = now_us(), us;
        if (!step(w, begin, SQLITE_DONE)) continue;
        sqlite3_reset(begin);
        if (w->writes) {
            sqlite3_bind_int(one, 1, w->number);
            sqlite3_bind_text(one, 2, "a line of text", -1, SQLITE_STATIC);
            sqlite3_bind_int64(one, 3, w->done);
        } else {
            sqlite3_bind_int64(one, 1, w->done % 100 + 1);
        }
        if (!step(w, one, w->writes ? SQLITE_DONE : SQLITE_ROW)) die("step", sqlite3_errmsg(raw));
        us = now_us() - t;
        sqlite3_reset(one);
        if (!step(w, commit, SQLITE_DONE)) die("commit", sqlite3_errmsg(raw));
        sqlite3_reset(commit);
        took(w, us);
    }
    sqlite3_finalize(begin);
    sqlite3_finalize(commit);
    sqlite3_finalize(one);
    sqlite3_close(raw);
}

static void *work(void *ud) {
    worker *w = (worker *)ud;
    if (db == NULL) {
        raw_loop(w);
        return NULL;
    }
    if (w->writes) dbm_write_one(w); else dbm_read_one(w); /* opens its connection and prepares */
    w->longest_us = w->samples = 0;
    w->done = 0;
    pthread_barrier_wait(&start);
    while (go_on()) if (w->writes) dbm_write_one(w); else dbm_read_one(w);
    return NULL;
}

static int by_size(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static int median(worker *all, int from, int to) {
    static int sorted[THREADS * SAMPLES];
    int n = 0;
    for (int i = from; i < to; i++) {
        memcpy(sorted + n, all[i].waits, (size_t)all[i].samples * sizeof sorted[0]);
        n += all[i].samples;
    }
    qsort(sorted, (size_t)n, sizeof sorted[0], by_size);
    return n != 0 ? sorted[n / 2] : 0;
}
static int64_t rows_now(void) {
    sqlite3 *raw;
    sqlite3_stmt *st;
    int64_t n;
    if (sqlite3_open(path, &raw) != SQLITE_OK) die("open", path);
    st = prepare(raw, "SELECT count(*) FROM log");
    if (sqlite3_step(st) != SQLITE_ROW) die("count", sqlite3_errmsg(raw));
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(raw);
    return n;
}

int main(int argc, char **argv) {
    int writers, readers;
    long ms, done = 0, reads = 0, longest = 0, longest_read = 0, busy = 0, failed = 0;
    double seconds;
    dbm_manager *mgr = NULL;
    int64_t before;
    long t;
    if (argc < 7) die("usage", "sqlite_threads dbm|raw FILE SYNCHRONOUS WRITERS READERS MILLISECONDS");
    path = argv[2];
    synchronous = argv[3];
    writers = atoi(argv[4]);
    readers = atoi(argv[5]);
    ms = atol(argv[6]);
    if (writers < 0 || readers < 0 || writers + readers > THREADS || writers + readers == 0) die("threads", "1 to 64");
    if (strcmp(argv[1], "dbm") == 0) {
        char url[600];
        snprintf(url, sizeof url, "sqlite:///%s?synchronous=%s", path, synchronous);
        if (dbm_manager_create(&mgr, NULL) != DBM_OK ||
            dbm_add_database(mgr, DBM_CONFIG(.name = "default", .url = url, .pool = { .size = writers + readers })) != DBM_OK || dbm_init_all(mgr) != DBM_OK) {
            die("dbm", dbm_last_error()->message);
        }
        db = dbm_get(mgr, "default");
    }
    before = rows_now();
    pthread_barrier_init(&start, NULL, (unsigned)(writers + readers) + 1);
    for (int i = 0; i < writers + readers; i++) {
        workers[i].number = i;
        workers[i].writes = i < writers;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) die("pthread_create", "no thread");
    }
    pthread_barrier_wait(&start);
    t = now_us();
    usleep((unsigned)ms * 1000);
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    seconds = (double)(now_us() - t) / 1e6;
    for (int i = 0; i < writers + readers; i++) {
        worker *w = &workers[i];
        pthread_join(w->thread, NULL);
        if (w->writes) done += w->done; else reads += w->done;
        if (w->writes && w->longest_us > longest) longest = w->longest_us;
        if (!w->writes && w->longest_us > longest_read) longest_read = w->longest_us;
        busy += w->busy;
        failed += w->failed;
    }
    if (mgr != NULL) dbm_manager_free(mgr);
    if (rows_now() - before != done + (mgr != NULL ? writers : 0)) die("count", "the rows in the file are not those that were committed");
    printf("%.0f %ld %d %.0f %ld %ld %ld\n", (double)done / seconds, longest, median(workers, 0, writers), (double)reads / seconds, longest_read, busy, failed);
    return 0;
}
