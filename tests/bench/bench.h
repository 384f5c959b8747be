/* The harness of the benchmark: every contender is one program that includes this, lists what it can do, and ends with BENCH_MAIN.
 * A new contender, or a row of one that exists, is a function or two and a line in its list; a new row is a line in bench_rows.
 *
 *     static void find(long n) { while (n-- > 0) ...; bench_sum += what was read; }
 *     static const bench_entry entries[] = { { "sqlite_lookup", "", 4000, NULL, find, close_it }, ... };
 *     BENCH_MAIN(entries)
 *
 * What an entry did is compared with what the row says it must have read or written, in every way it is called:
 *     PROGRAM list                          its entries: row and variant
 *     PROGRAM time ROW VARIANT [N]          one JSON line: nanoseconds (minimum and median of stretches of N) and client CPU of an operation, and where many
 *                                           are in flight (bench_answered) how long each took: p50 and p99 of the stretch whose p99 is the least
 *     PROGRAM memory ROW VARIANT [N]        one JSON line: peak memory, and how much of it the operations added; no warm-up
 *     PROGRAM calls ROW VARIANT             with shim.so preloaded, one JSON line: allocations, sends, reads and clock reads an operation
 *     PROGRAM instructions ROW VARIANT      under callgrind: dumps for two numbers of operations, of each several
 * VARIANT is - for the plain one. $BENCH_URL says where the data is: a file, or the server's URL; $BENCH_PLAIN and
 * others, one for each library, the same in the words that it takes. */
#ifndef DBM_BENCH_H
#define DBM_BENCH_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif
#ifndef CALLGRIND_ZERO_STATS
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(what)
#endif

/* ---- the data: what a row of it holds is said by its number alone ----------------------------------------------------------- */

#define BENCH_USERS 1000L  /* users(id, name, age): what lookups look up */
#define BENCH_BIG 200000L  /* big(id, name, age, score): what scans read */
                           /* notes(id, name, score): what inserts write; empty before each */
static inline long bench_id(long i) { return i % BENCH_USERS + 1; } /* the user that the i-th lookup asks for */
/* Names and Redis' keys (user:ID holds the name) are made before anything is measured; they come again after BENCH_USERS. */
static char bench_names[BENCH_USERS][32], bench_keys[BENCH_USERS][16];
static size_t bench_key_sizes[BENCH_USERS];
static void bench_make_names(void) {
    for (long i = 0; i < BENCH_USERS; i++) {
        snprintf(bench_names[i], sizeof bench_names[i], "the name of number %ld", i);
        bench_key_sizes[i] = (size_t)snprintf(bench_keys[i], sizeof bench_keys[i], "user:%ld", i != 0 ? i : BENCH_USERS);
    }
}
static inline const char *bench_name(long id) { return bench_names[id % BENCH_USERS]; }
static inline long bench_age(long id) { return id % 90; }
static inline double bench_score(long id) { return (double)id * 0.5; }

#define BENCH_LOOKUP(one) "SELECT name, age FROM users WHERE id = " one
#define BENCH_SCAN(one) "SELECT id, name, age, score FROM big LIMIT " one
#define BENCH_INSERT(one, two, three) "INSERT INTO notes(id, name, score) VALUES (" one ", " two ", " three ")"
/* What an insert is verified by; the sum is bench_note_of() all of its rows. */
#define BENCH_NOTES "SELECT sum(id) + sum(length(name)) + sum(score) * 2 FROM notes"
#define BENCH_CLEAR "DELETE FROM notes"

/* Returns the key's length. */
static inline size_t bench_key(long id, const char **key) {
    *key = bench_keys[id % BENCH_USERS];
    return bench_key_sizes[id % BENCH_USERS];
}

static uint64_t bench_sum; /* of what was read, or of what lies there now */
static inline void bench_user(const char *name, int64_t age) { bench_sum += (uint64_t)strlen(name) + (uint64_t)age; }
static inline void bench_big(int64_t id, const char *name, int64_t age, double score) {
    bench_sum += (uint64_t)id + (uint64_t)strlen(name) + (uint64_t)age + (uint64_t)(int64_t)(score * 2);
}

static uint64_t bench_note_of(long id) { return (uint64_t)id * 2 + strlen(bench_name(id)); }
static uint64_t bench_expect_lookup(long n) {
    uint64_t sum = 0;
    for (long i = 0; i < n; i++) sum += strlen(bench_name(bench_id(i))) + (uint64_t)bench_age(bench_id(i));
    return sum;
}
static uint64_t bench_expect_name(long n) {
    uint64_t sum = 0;
    for (long i = 0; i < n; i++) sum += strlen(bench_name(bench_id(i)));
    return sum;
}
static uint64_t bench_expect_scan(long n) {
    uint64_t sum = 0;
    for (long id = 1; id <= n; id++) sum += bench_note_of(id) + (uint64_t)bench_age(id);
    return sum;
}
static uint64_t bench_expect_insert(long n) {
    uint64_t sum = 0;
    for (long id = 1; id <= n; id++) sum += bench_note_of(id);
    return sum;
}
static uint64_t bench_expect_count(long n) { return (uint64_t)n; }

/* ---- the rows ---------------------------------------------------------------------------------------------------------------- */

typedef struct bench_row {
    const char *name, *what;            /* what one operation is */
    long n, few, more;                  /* of one stretch that is timed; the two numbers whose difference is counted */
    uint64_t (*expected)(long n);
} bench_row;

static const bench_row bench_rows[] = {
    { "sqlite_lookup", "lookup by key, one long transaction", 4000, 640, 1920, bench_expect_lookup },
    { "sqlite_nostats", "lookup, dbm.h with DBM_SQLITE_NO_MEMSTATUS", 4000, 640, 1920, bench_expect_lookup },
    { "sqlite_session", "lookup, a session each, autocommit", 1000, 640, 1920, bench_expect_lookup },
    { "sqlite_transaction", "BEGIN, lookup, COMMIT, a session each", 1000, 640, 1920, bench_expect_lookup },
    { "sqlite_insert", "insert of 3 values, one transaction", 20000, 2000, 6000, bench_expect_insert },
    { "sqlite_scan", "row of a scan, 4 columns", BENCH_BIG, 2000, 6000, bench_expect_scan },
    { "postgresql_lookup", "lookup by key, one long session", 200, 10, 30, bench_expect_lookup },
    { "postgresql_session", "lookup, a session each, autocommit", 200, 10, 30, bench_expect_lookup },
    { "postgresql_transaction", "BEGIN, lookup, COMMIT, a session each", 100, 10, 30, bench_expect_lookup },
    { "postgresql_scan", "row of a scan, 4 columns", BENCH_BIG, 2000, 6000, bench_expect_scan },
    { "postgresql_insert", "insert of 3 values, one transaction", 20000, 400, 1200, bench_expect_insert },
    { "mariadb_lookup", "lookup by key, one long session", 100, 10, 30, bench_expect_lookup },
    { "mariadb_session", "lookup, a session each, autocommit", 100, 10, 30, bench_expect_lookup },
    { "mariadb_scan", "row of a scan, 4 columns", BENCH_BIG, 2000, 6000, bench_expect_scan },
    { "mariadb_insert", "insert of 3 values, one transaction", 20000, 400, 1200, bench_expect_insert },
    { "redis_get", "GET", 300, 10, 30, bench_expect_name },
    { "redis_pipeline", "GET, 100 in a pipeline", 3000, 1000, 3000, bench_expect_name },
    { "mongodb_find", "find_one by _id", 20, 10, 30, bench_expect_lookup },
    { "mongodb_insert", "document of insert_many", 5000, 500, 1500, bench_expect_insert },
    { "async_postgresql", "lookup, 64 in flight over 4 connections", 2000, 640, 1920, bench_expect_lookup },
    { "async_mariadb", "lookup, 64 in flight over 4 connections", 2000, 640, 1920, bench_expect_lookup },
    { "async_redis", "GET, 64 in flight over 4 connections", 2000, 640, 1920, bench_expect_name },
    { "pool_1", "checkout and return, one thread", 20000, 2000, 6000, bench_expect_count },
    { "pool_2", "checkout and return, 2 threads on 4 connections", 1000000, 0, 0, bench_expect_count },
    { "pool_4", "checkout and return, 4 threads on 4", 1000000, 0, 0, bench_expect_count },
    { "pool_8", "checkout and return, 8 threads on 4", 1000000, 0, 0, bench_expect_count },
    { "session_empty", "an empty session", 50000, 640, 1920, bench_expect_count },
    { "start_sqlite", "start-up: one SQLite pool, one lookup, the end", 20, 10, 30, bench_expect_lookup },
    { "start_idle", "ten idle connections", 10, 0, 0, bench_expect_count },
};

/* One thing that a contender can do. `open` and `close` may be NULL, as may `ready`, which is called before each run, and `check`, which
 * makes bench_sum after it; only `run` is measured. */
typedef struct bench_entry {
    const char *row, *variant;
    void (*open)(void);
    void (*ready)(void);
    void (*run)(long n);
    void (*check)(void);
    void (*close)(void);
} bench_entry;

static void bench_die(const char *what, const char *why) {
    fprintf(stderr, BENCH_CONTENDER ": %s: %s\n", what, why);
    exit(2);
}
static const char *bench_environment(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) bench_die(name, "is not set; run.sh and counts.sh set it");
    return value;
}
static inline const char *bench_url(void) { return bench_environment("BENCH_URL"); }
/* A field of $BENCH_PLAIN, which is words `field=value`. The text is the caller's to free. */
static inline char *bench_plain(const char *field) {
    const char *at = bench_environment("BENCH_PLAIN");
    size_t size = strlen(field);
    while (*at != '\0') {
        size_t word = strcspn(at, " ");
        if (strncmp(at, field, size) == 0 && at[size] == '=') return strndup(at + size + 1, word - size - 1);
        at += word + (at[word] == ' ');
    }
    bench_die("BENCH_PLAIN", field);
    return NULL;
}

/* ---- threads ------------------------------------------------------------------------------------------------------------------- */

typedef struct bench_part { pthread_t thread; long (*work)(long n); long n, done; } bench_part;
static void *bench_part_run(void *arg) {
    bench_part *part = (bench_part *)arg;
    part->done = part->work(part->n);
    return NULL;
}
/* n operations shared by `threads`; each says how many it has done. */
static inline void bench_threads(int threads, long n, long (*work)(long n)) {
    bench_part parts[16];
    for (int i = 0; i < threads; i++) {
        parts[i].work = work;
        parts[i].n = n / threads + (i < n % threads);
        if (pthread_create(&parts[i].thread, NULL, bench_part_run, &parts[i]) != 0) bench_die("threads", "pthread_create");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(parts[i].thread, NULL);
        bench_sum += (uint64_t)parts[i].done;
    }
}

/* ---- many in flight ------------------------------------------------------------------------------------------------------------ */

/* Rows async_...: that many look up at once, each of them the next one as soon as it has its answer, over so many connections. */
#define BENCH_FLIGHT 64
#define BENCH_CONNECTIONS 4
#define BENCH_WAITS 16384
static int64_t bench_waits[BENCH_WAITS];
static long bench_waited;

static int64_t bench_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
/* One has its answer that could have begun at `from`, which was bench_ns(): every contender reads the clock twice for each. */
static inline void bench_answered(int64_t from) { bench_waits[bench_waited++ % BENCH_WAITS] = bench_ns() - from; }

/* ---- the ways to be called ----------------------------------------------------------------------------------------------------- */

/* What shim.c counts when it is preloaded. */
typedef struct bench_calls { long allocations, sends, reads, clocks; } bench_calls;
#ifdef __cplusplus
extern "C"
#endif
void bench_shim_read(bench_calls *out) __attribute__((weak));

static int64_t bench_cpu_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 + ((int64_t)u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}
/* VmRSS or VmHWM, in KB. Not ru_maxrss: that begins with what the parent had. */
static long bench_memory(const char *field) {
    char line[256];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) kb = strtol(line + strlen(field) + 1, NULL, 10);
    }
    if (f != NULL) fclose(f);
    return kb;
}

static void bench_verify(const bench_row *row, const bench_entry *entry, long n) {
    uint64_t expected = row->expected(n);
    if (entry->check != NULL) entry->check();
    if (bench_sum == expected) return;
    fprintf(stderr, BENCH_CONTENDER ": %s %s: %ld operations have the sum %" PRIu64 ", expected %" PRIu64 "\n", row->name, entry->variant, n, bench_sum, expected);
    exit(2);
}
static void bench_ready(const bench_entry *entry) {
    bench_sum = 0;
    bench_waited = 0;
    if (entry->ready != NULL) entry->ready();
}
static void bench_once(const bench_row *row, const bench_entry *entry, long n) {
    bench_ready(entry);
    entry->run(n);
    bench_verify(row, entry, n);
}

/* Stretches of n operations, each short where that is the same work, until BENCH_TIMED has passed: on a busy machine some of them are left in peace,
 * which one long run never is. */
#define BENCH_TIMED 200000000
#define BENCH_STRETCHES 400
static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
static int bench_compare_waits(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}
static void bench_time(const bench_row *row, const bench_entry *entry, long n) {
    static double ns[BENCH_STRETCHES];
    int64_t all = 0, cpu = 0, p50 = 0, p99 = INT64_MAX;
    int count = 0;
    bench_once(row, entry, row->more > 0 && row->more < n ? row->more : n);
    while (count < BENCH_STRETCHES && (all < BENCH_TIMED || count < 3)) {
        int64_t from, cpu_from;
        bench_ready(entry);
        cpu_from = bench_cpu_ns();
        from = bench_ns();
        entry->run(n);
        from = bench_ns() - from;
        cpu += bench_cpu_ns() - cpu_from;
        bench_verify(row, entry, n);
        all += from;
        if (bench_waited > 0) {
            long waits = bench_waited < BENCH_WAITS ? bench_waited : BENCH_WAITS;
            qsort(bench_waits, (size_t)waits, sizeof bench_waits[0], bench_compare_waits);
            if (bench_waits[waits * 99 / 100] < p99) {
                p50 = bench_waits[waits / 2];
                p99 = bench_waits[waits * 99 / 100];
            }
        }
        ns[count++] = (double)from / (double)n;
    }
    qsort(ns, (size_t)count, sizeof ns[0], bench_compare);
    printf("\"n\":%ld,\"stretches\":%d,\"ns_min\":%.2f,\"ns_median\":%.2f,\"cpu_ns\":%.2f", n, count, ns[0], ns[count / 2],
           (double)cpu / ((double)n * count));
    if (bench_waited > 0) printf(",\"p50_ns\":%" PRId64 ",\"p99_ns\":%" PRId64, p50, p99);
}

static void bench_peak(const bench_row *row, const bench_entry *entry, long n) {
    long before;
    bench_ready(entry);
    before = bench_memory("VmRSS:");
    entry->run(n);
    printf("\"n\":%ld,\"peak_kb\":%ld,\"grown_kb\":%ld", n, bench_memory("VmHWM:"), bench_memory("VmHWM:") - before);
    bench_verify(row, entry, n);
}

static void bench_count_calls(const bench_row *row, const bench_entry *entry) {
    bench_calls at[2][2];
    double more = (double)(row->more - row->few);
    if (bench_shim_read == NULL) bench_die("calls", "shim.so is not preloaded");
    if (row->more == 0) bench_die(row->name, "is not counted");
    bench_once(row, entry, row->few);
    for (int i = 0; i < 2; i++) {
        long n = i == 0 ? row->few : row->more;
        bench_ready(entry);
        bench_shim_read(&at[i][0]);
        entry->run(n);
        bench_shim_read(&at[i][1]);
        bench_verify(row, entry, n);
    }
#define BENCH_PER(field) ((double)((at[1][1].field - at[1][0].field) - (at[0][1].field - at[0][0].field)) / more)
    printf("\"allocations\":%.3f,\"sends\":%.3f,\"reads\":%.3f,\"clocks\":%.3f", BENCH_PER(allocations), BENCH_PER(sends), BENCH_PER(reads), BENCH_PER(clocks));
}

/* The least counts: a client that has to wait for its server's answer does more. The fewer the operations, the more often none of them waits. */
static void bench_instructions(const bench_row *row, const bench_entry *entry) {
    int repeats = row->few < 100 && strncmp(bench_url(), "sqlite", 6) != 0 ? 16 : 3;
    if (row->more == 0) bench_die(row->name, "is not counted");
    bench_once(row, entry, row->few);
    for (int i = 0; i < 2 * repeats; i++) {
        long n = i % 2 == 0 ? row->few : row->more;
        bench_ready(entry);
        CALLGRIND_ZERO_STATS;
        entry->run(n);
        if (i % 2 == 0) {
            CALLGRIND_DUMP_STATS_AT("few");
        } else {
            CALLGRIND_DUMP_STATS_AT("more");
        }
        bench_verify(row, entry, n);
    }
    printf("\"operations\":%ld", row->more - row->few);
}

static int bench_main(int argc, char **argv, const bench_entry *entries, size_t count) {
    const char *how = argc > 1 ? argv[1] : "", *name = argc > 2 ? argv[2] : "", *variant = argc > 3 ? argv[3] : "-";
    const bench_row *row = NULL;
    const bench_entry *entry = NULL;
    size_t i;
    if (strcmp(variant, "-") == 0) variant = "";
    if (strcmp(how, "list") == 0) {
        for (i = 0; i < count; i++) printf("%s %s\n", entries[i].row, entries[i].variant[0] != '\0' ? entries[i].variant : "-");
        return 0;
    }
    for (i = 0; i < sizeof bench_rows / sizeof bench_rows[0]; i++) {
        if (strcmp(bench_rows[i].name, name) == 0) row = &bench_rows[i];
    }
    for (i = 0; i < count; i++) {
        if (strcmp(entries[i].row, name) == 0 && strcmp(entries[i].variant, variant) == 0) entry = &entries[i];
    }
    if (row == NULL || entry == NULL) bench_die(name, "no such row and variant; `list` shows them");
    bench_make_names();
    if (entry->open != NULL) entry->open();
    printf("{\"row\":\"%s\",\"what\":\"%s\",\"contender\":\"" BENCH_CONTENDER "%s%s\",", name, row->what, variant[0] != '\0' ? "/" : "", variant);
    if (strcmp(how, "time") == 0) {
        bench_time(row, entry, argc > 4 ? atol(argv[4]) : row->n);
    } else if (strcmp(how, "memory") == 0) {
        bench_peak(row, entry, argc > 4 ? atol(argv[4]) : row->n);
    } else if (strcmp(how, "calls") == 0) {
        bench_count_calls(row, entry);
    } else if (strcmp(how, "instructions") == 0) {
        bench_instructions(row, entry);
    } else {
        bench_die(how, "expected list, time, memory, calls or instructions");
    }
    printf("}\n");
    if (entry->close != NULL) entry->close();
    return 0;
}
/* What the lists of entries share. A connection is opened by open_it and closed by close_it; for a session each, `start` and `end` stand around. */
#define BENCH_SQL(name, start, end, insert) \
    { name "_lookup", "", open_it, NULL, lookup, NULL, close_it }, \
    { name "_session", "", start, NULL, session, NULL, end }, \
    { name "_scan", "", open_it, NULL, scan, NULL, close_it }, \
    { name "_insert", "", open_it, clear, insert, notes, close_it }
#define BENCH_PEER(start, end, insert) \
    BENCH_SQL("sqlite", start, end, insert), \
    { "sqlite_transaction", "", start, NULL, transaction, NULL, end }, \
    BENCH_SQL("postgresql", start, end, insert), \
    { "postgresql_transaction", "", start, NULL, transaction, NULL, end }, \
    BENCH_SQL("mariadb", start, end, insert), \
    { "start_idle", "", NULL, NULL, idle, NULL, NULL }
/* The rows of a pool: `alone` by one thread, `shared` by several, both as bench_threads() takes them. */
#define BENCH_CHECKOUTS(alone, shared) \
    static void checkouts_1(long n) { bench_sum += (uint64_t)alone(n); } \
    static void checkouts_2(long n) { bench_threads(2, n, shared); } \
    static void checkouts_4(long n) { bench_threads(4, n, shared); } \
    static void checkouts_8(long n) { bench_threads(8, n, shared); }
#define BENCH_POOL(start, end) \
    { "pool_1", "", start, NULL, checkouts_1, NULL, end }, \
    { "pool_2", "", start, NULL, checkouts_2, NULL, end }, \
    { "pool_4", "", start, NULL, checkouts_4, NULL, end }, \
    { "pool_8", "", start, NULL, checkouts_8, NULL, end }

#define BENCH_MAIN(entries) \
    int main(int argc, char **argv) { return bench_main(argc, argv, entries, sizeof(entries) / sizeof((entries)[0])); }
#endif
