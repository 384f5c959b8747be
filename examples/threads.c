/* Threads: four writers and four readers on one pool of four connections. The writers move money between accounts, the readers
 * add all of it up; the sum must never change. Prints a progress line, then what the pool has seen. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_SQLITE
#include "dbm.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ACCOUNTS = 100, EACH = 1000, WRITERS = 4, READERS = 4, TRANSFERS = 250 };

static dbm_manager *mgr;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the three below */
static int transfers, sums, failures;

static void count(int *what) {
    pthread_mutex_lock(&lock);
    ++*what;
    pthread_mutex_unlock(&lock);
}

static int counted(const int *what) {
    int n;
    pthread_mutex_lock(&lock);
    n = *what;
    pthread_mutex_unlock(&lock);
    return n;
}

static void *writer(void *seed) {
    uint32_t random = *(const uint32_t *)seed;
    int i;
    for (i = 0; i < TRANSFERS; i++) {
        dbm_error_info failure;
        int from, to, amount;
        random = random * 1664525u + 1013904223u;
        from = (int)(random >> 8) % ACCOUNTS;
        to = (from + 1 + (int)(random >> 16) % (ACCOUNTS - 1)) % ACCOUNTS;
        amount = 1 + (int)(random >> 24) % 50;
        /* The body runs again, at most ten times, when another process got in between. Writers of one process take turns. */
        DBM_RETRY(mgr, "bank", s, 10) {
            dbm_exec(s, "UPDATE account SET money = money - ? WHERE id = ?", amount, from);
            dbm_exec(s, "UPDATE account SET money = money + ? WHERE id = ?", amount, to);
        }
        if (dbm_session_failed(&failure)) {
            fprintf(stderr, "transfer: %s\n", failure.message);
            count(&failures);
        } else {
            count(&transfers);
        }
    }
    return NULL;
}

static void *reader(void *unused) {
    (void)unused;
    while (counted(&transfers) + counted(&failures) < WRITERS * TRANSFERS) {
        dbm_error_info failure;
        int sum = 0;
        DBM_SESSION_OPT(mgr, "bank", s, .read_only = true) {
            DBM_EACH(s, row, "SELECT money FROM account") sum += (int)dbm_row_int(row, 0);
        }
        if (dbm_session_failed(&failure)) {
            fprintf(stderr, "sum: %s\n", failure.message);
            count(&failures);
        } else if (sum != ACCOUNTS * EACH) {
            fprintf(stderr, "sum: it is %d, and should be %d\n", sum, ACCOUNTS * EACH);
            count(&failures);
        } else {
            count(&sums);
        }
    }
    return NULL;
}

static void progress(void) {
    struct timespec tick = { 0, 250000000 };
    int done;
    do {
        nanosleep(&tick, NULL);
        done = counted(&transfers);
        printf("%5d of %d transfers, %5d sums%s", done, WRITERS * TRANSFERS, counted(&sums), isatty(STDOUT_FILENO) ? "\r" : "\n");
        fflush(stdout);
    } while (done + counted(&failures) < WRITERS * TRANSFERS);
}

int main(void) {
    static uint32_t seeds[WRITERS] = { 1, 20, 300, 4000 };
    pthread_t threads[WRITERS + READERS];
    dbm_stats_info stats;
    int i, started = 0, sum = -1;

    if (dbm_manager_create(&mgr, NULL) != DBM_OK ||
        dbm_add_database(mgr, DBM_CONFIG(.name = "bank", .url = "sqlite:///bank.db", .pool.size = 4, .pool.max_overflow = -1)) != DBM_OK ||
        dbm_init_all(mgr) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return dbm_manager_free(mgr), 1;
    }
    DBM_SESSION(mgr, "bank", s) {
        dbm_script(s, "DROP TABLE IF EXISTS account; CREATE TABLE account(id INTEGER PRIMARY KEY, money INTEGER NOT NULL);");
        for (i = 0; i < ACCOUNTS; i++) dbm_exec(s, "INSERT INTO account VALUES (?, ?)", i, EACH);
    }
    DBM_FAILED(err) {
        fprintf(stderr, "%s\n", err->message);
        failures++;
    }

    for (i = 0; failures == 0 && i < WRITERS + READERS; i++, started++) {
        if (pthread_create(&threads[i], NULL, i < WRITERS ? writer : reader, i < WRITERS ? &seeds[i] : NULL) != 0) {
            fprintf(stderr, "no thread could be started\n");
            exit(1);
        }
    }
    if (started > 0) progress();
    for (i = 0; i < started; i++) pthread_join(threads[i], NULL);

    DBM_SESSION(mgr, "bank", s) {
        dbm_row *row;
        if (dbm_query_one(s, &row, "SELECT sum(money) FROM account") == DBM_OK) dbm_scan(row, &sum);
    }
    dbm_stats(dbm_get(mgr, "bank"), &stats);
    printf("\n%d accounts hold %d, as they should: %s\n", ACCOUNTS, sum, sum == ACCOUNTS * EACH ? "yes" : "NO");
    printf("pool of %d: %" PRIu64 " checkouts, %" PRIu64 " of them waited, %" PRIu64 " timed out\n", stats.size, stats.checkouts, stats.waits,
           stats.timeouts);
    printf("%" PRIu64 " connections opened, %" PRIu64 " statements, %" PRIu64 " found in the cache, %" PRIu64 " transactions run again\n",
           stats.connects, stats.statements, stats.cache_hits, stats.retries);
    if (dbm_close_all(mgr) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        failures++;
    }
    dbm_manager_free(mgr);
    printf("failures: %d\n", failures);
    return failures == 0 && sum == ACCOUNTS * EACH ? 0 : 1;
}
