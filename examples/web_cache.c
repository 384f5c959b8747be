/* A web shop's product pages: PostgreSQL holds the truth, Redis what was read lately. A read asks Redis first, else PostgreSQL, and leaves the answer in
 * Redis for a minute; a write drops it there once PostgreSQL has committed. A cache that is down makes pages slower, never wrong.
 * The servers are those of POSTGRESQL_URL and REDIS_URL. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_POSTGRESQL
#define DBM_WITH_REDIS
#define DBM_WITH_INI
#include "dbm.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PRODUCTS = 200, READS = 4000, TTL = 60 };
typedef struct counts { int reads, hits, misses, cache_failures, errors; } counts;
typedef struct shop { dbm_manager *mgr; dbm_database *truth, *cache; counts now; } shop;

/* The price of a product as a text, of any number of digits. */
static bool price_of(shop *w, int id, char price[32]) {
    char key[32];
    dbm_row *row;
    dbm_status st;
    snprintf(key, sizeof key, "shop:price:%d", id);
    w->now.reads++;
    st = dbm_redis_copy(w->cache, price, 32, NULL, key);
    if (st == DBM_OK) {
        w->now.hits++;
        return true;
    }
    if (st == DBM_E_NOT_FOUND) w->now.misses++;
    else w->now.cache_failures++; /* the page is served all the same */
    st = dbm_query_one(w->truth, &row, "SELECT price FROM web_cache_product WHERE id = ?", id);
    if (st != DBM_OK) {
        w->now.errors++;
        return false;
    }
    snprintf(price, 32, "%s", dbm_row_text(row, 0));
    dbm_row_end(row);
    (void)dbm_redis_set(w->cache, key, price, TTL); /* a failure was counted when it was asked */
    return true;
}

/* First the truth, then the cache: had the cache gone first, a reader in between would put the old price back for a minute. */
static bool set_price(shop *w, int id, const char *price) {
    char key[32];
    dbm_status rc;
    snprintf(key, sizeof key, "shop:price:%d", id);
    DBM_SESSION_RC(w->mgr, "truth", s, &rc) dbm_exec(s, "UPDATE web_cache_product SET price = ? WHERE id = ?", dbm_decimal(price), id);
    if (rc != DBM_OK) {
        DBM_FAILED(err) fprintf(stderr, "%s\n", err->message);
        w->now.errors++;
        return false;
    }
    if (dbm_redis_del(w->cache, NULL, key) != DBM_OK) w->now.cache_failures++;
    return true;
}

static bool make_shop(shop *w) {
    dbm_status rc;
    int64_t dropped;
    int i;
    DBM_SESSION_RC(w->mgr, "truth", s, &rc) {
        dbm_exec(s, "DROP TABLE IF EXISTS web_cache_product");
        dbm_exec(s, "CREATE TABLE web_cache_product (id INTEGER PRIMARY KEY, price NUMERIC(10,2) NOT NULL)");
        dbm_exec(s, "INSERT INTO web_cache_product SELECT i, i + 0.99 FROM generate_series(1, ?) AS g(i)", PRODUCTS);
    }
    DBM_FAILED(err) fprintf(stderr, "%s\n", err->message);
    for (i = 1; i <= PRODUCTS; i++) {
        char key[32];
        snprintf(key, sizeof key, "shop:price:%d", i);
        (void)dbm_redis_del(w->cache, &dropped, key);
    }
    return rc == DBM_OK;
}

/* Most visitors look at few products. The same ones in each run: the numbers can be compared. */
static int visited(uint32_t *random) {
    *random = *random * 1664525u + 1013904223u;
    return *random >> 28 != 0 ? 1 + (int)(*random >> 8) % (PRODUCTS / 10) : 1 + (int)(*random >> 8) % PRODUCTS;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* READS page views, and a price changed before each `writes`-th of them (0: none). */
static void visit(shop *w, const char *what, int writes) {
    uint32_t random = 7;
    double began = seconds();
    char price[32], changed[32];
    int i;
    w->now = (counts){ 0, 0, 0, 0, 0 };
    for (i = 1; i <= READS; i++) {
        int id = visited(&random);
        if (writes > 0 && i % writes == 0) {
            snprintf(changed, sizeof changed, "%d.50", i);
            if (set_price(w, id, changed) && price_of(w, id, price) && strcmp(price, changed) != 0) {
                printf("product %d: the page says %s, it costs %s\n", id, price, changed);
                w->now.errors++;
            }
        } else {
            price_of(w, id, price);
        }
    }
    printf("%-24s %d reads, %4.1f %% from Redis (%d hits, %d misses), %.3f ms a page\n", what, w->now.reads,
           w->now.reads > 0 ? 100.0 * w->now.hits / w->now.reads : 0.0, w->now.hits, w->now.misses, (seconds() - began) * 1000.0 / READS);
    if (w->now.cache_failures > 0) printf("%-24s Redis failed %d times\n", "", w->now.cache_failures);
}

int main(void) {
    static const char config[] =
        "[databases.truth]\nurl = ${POSTGRESQL_URL:-postgresql://localhost/postgres}\npool_size = 4\n"
        "[databases.cache]\nurl = ${REDIS_URL:-redis://localhost:6379/0}\nconnect_timeout = 300ms\nstatement_timeout = 100ms\n";
    shop w = { NULL, NULL, NULL, { 0, 0, 0, 0, 0 } };
    int errors = 0;
    char price[32];
    if (dbm_manager_create(&w.mgr, NULL) != DBM_OK || dbm_load_text(w.mgr, config, SIZE_MAX) != DBM_OK ||
        (w.truth = dbm_get(w.mgr, "truth")) == NULL || (w.cache = dbm_get(w.mgr, "cache")) == NULL || dbm_ping(w.truth) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return dbm_manager_free(w.mgr), 1;
    }
    if (dbm_ping(w.cache) != DBM_OK) printf("no cache: %s\n", dbm_last_error()->message);
    if (!make_shop(&w)) return dbm_manager_free(w.mgr), 1;
    visit(&w, "an empty cache", 0);
    errors += w.now.errors;
    visit(&w, "a warm one", 0);
    errors += w.now.errors;
    visit(&w, "a price changes often", 20);
    errors += w.now.errors;
    if (set_price(&w, 1, "123456.78") && price_of(&w, 1, price)) printf("product 1 costs %s now\n", price);
    printf("errors: %d\n", errors);
    dbm_exec(w.truth, "DROP TABLE web_cache_product");
    dbm_manager_free(w.mgr);
    return errors == 0 ? 0 : 1;
}
