/* The reference: what one would write by hand against each driver, plainly but well. Statements are prepared once, one thread to a connection,
 * no pool. Where the driver has better ways for the same work, they are variants of their own. `raw-GROUP fill` makes the data for all. */
#define BENCH_CONTENDER "raw"
#include "bench.h"
#include <sqlite3.h>

/* ---- SQLite -------------------------------------------------------------------------------------------------------------------- */

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

static void lite_fill(void) {
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

/* ---- taking one of four slots and giving it back ------------------------------------------------------------------------------- */

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

/* ---- what there is --------------------------------------------------------------------------------------------------------------- */

static const bench_entry entries[] = {
    { "sqlite_lookup", "", lite_open, NULL, lite_lookup, NULL, lite_close },
    { "sqlite_lookup", "nomutex", lite_open_nomutex, NULL, lite_lookup, NULL, lite_close },
    { "sqlite_session", "", lite_open, NULL, lite_session, NULL, lite_close },
    { "sqlite_transaction", "", lite_open, NULL, lite_transaction, NULL, lite_close },
    { "sqlite_transaction", "nomutex", lite_open_nomutex, NULL, lite_transaction, NULL, lite_close },
    { "sqlite_insert", "", lite_open, lite_clear, lite_inserts, lite_notes, lite_close },
    { "sqlite_scan", "", lite_open, NULL, lite_scans, NULL, lite_close },
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
};

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "fill") == 0) {
        bench_make_names();
        lite_fill();
        return 0;
    }
    return bench_main(argc, argv, entries, sizeof entries / sizeof entries[0]);
}
