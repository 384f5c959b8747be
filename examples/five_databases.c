/* Five databases of five kinds from one file, five_databases.ini: SQLite, PostgreSQL, MariaDB, Redis and MongoDB. The three that speak SQL
 * do the same work by the same code; then a health table. What is down is told, and keeps nobody else from working. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_SQLITE
#define DBM_WITH_POSTGRESQL
#define DBM_WITH_MYSQL
#define DBM_WITH_REDIS
#define DBM_WITH_MONGODB
#define DBM_WITH_INI
#include "dbm.h"
#include <stdio.h>

static int failures;

static void ended(const char *name, dbm_status rc) {
    if (rc == DBM_OK) return;
    failures++;
    DBM_FAILED(err) printf("%-8s %s: %s\n", name, dbm_status_name(err->status), err->message);
}

/* A transaction that commits, and one that must not; the same statements, values, constraints and statuses on each. */
static void sql_work(dbm_manager *mgr, const char *name) {
    dbm_status rc;
    /* Tables are made outside of a session with other work: MariaDB commits at each such statement. */
    if (dbm_exec(dbm_get(mgr, name), "CREATE TABLE IF NOT EXISTS five_items (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, price DECIMAL(8,2))") != DBM_OK) {
        printf("%-8s %s: %s\n", name, dbm_status_name(dbm_last_error()->status), dbm_last_error()->message);
        failures++;
        return;
    }
    DBM_SESSION_RC(mgr, name, s, &rc) {
        dbm_row *row;
        dbm_exec(s, "DELETE FROM five_items");
        dbm_exec(s, "INSERT INTO five_items VALUES (?, ?, ?)", 1, "Caf\303\251", dbm_decimal("4.50"));
        dbm_exec(s, "INSERT INTO five_items VALUES (?, ?, ?)", 2, "tea", dbm_decimal("3.25"));
        dbm_exec(s, "UPDATE five_items SET price = price + ? WHERE id > ?", 1, 0);
        printf("%-8s %d prices raised:", name, (int)dbm_affected(s));
        DBM_EACH(s, item, "SELECT name, price FROM five_items ORDER BY id") printf(" %s %.2f", dbm_row_text(item, 0), dbm_row_double(item, 1));
        if (dbm_query_one(s, &row, "SELECT count(*) FROM five_items WHERE price > ?", 5) == DBM_OK) printf(", %d over 5\n", (int)dbm_row_int(row, 0));
    }
    ended(name, rc);
    DBM_SESSION_RC(mgr, name, s, &rc) {
        dbm_exec(s, "DELETE FROM five_items WHERE id = ?", 1);
        dbm_exec(s, "INSERT INTO five_items VALUES (?, ?, ?)", 2, "tea again", NULL);
    }
    printf("%-8s an insert that must fail: %s, and nothing was deleted\n", name, dbm_status_name(rc));
    if (rc != DBM_E_CONSTRAINT) failures++;
}

static void redis_work(dbm_manager *mgr, const char *name) {
    dbm_status rc;
    DBM_SESSION_RC(mgr, name, s, &rc) {
        dbm_row *row;
        int64_t visits = 0, seconds = 0;
        dbm_redis_set(s, "five:greeting", "hello", 60);
        dbm_redis_incr(s, &visits, "five:visits", 1);
        dbm_redis_ttl(s, &seconds, "five:greeting");
        if (dbm_redis_get(s, &row, "five:greeting") == DBM_OK) {
            printf("%-8s %s for %d s more, visit number %d\n", name, dbm_row_text(row, 0), (int)seconds, (int)visits);
        }
    }
    ended(name, rc);
}

static void mongo_work(dbm_manager *mgr, const char *name) {
    dbm_status rc;
    DBM_SESSION_RC(mgr, name, s, &rc) {
        int64_t n = 0;
        dbm_mongo_drop(s, "five_events");
        dbm_mongo_insert(s, "five_events", "{\"what\": ?, \"by\": {\"name\": ?}, \"n\": ?}", "login", "Ada", 1);
        dbm_mongo_insert(s, "five_events", "{\"what\": ?, \"by\": {\"name\": ?}, \"n\": ?}", "sale", "Grace", 2);
        dbm_mongo_update(s, "five_events", "{\"what\": ?}", "{\"$inc\": {\"n\": ?}}", "sale", 40);
        dbm_mongo_count(s, &n, "five_events", "{}");
        printf("%-8s %d documents:", name, (int)n);
        DBM_EACH_DOC(s, doc, "five_events", "{\"n\": {\"$gt\": ?}}", 0) printf(" %s %d", dbm_doc_text(doc, "what"), (int)dbm_doc_int(doc, "n"));
        printf("\n");
    }
    ended(name, rc);
}

static void health_line(void *ud, const dbm_health_info *info) {
    (void)ud;
    printf("%-8s  %-10s  %-14s  %8.2f ms  %.60s\n", info->name, info->type, dbm_status_name(info->status), (double)info->latency_us / 1000.0, info->message);
}

int main(void) {
    dbm_manager *mgr = NULL;
    if (dbm_manager_load(&mgr, "five_databases.ini", NULL) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return 1;
    }
    if (dbm_init_all(mgr) != DBM_OK) printf("not all are up: %s\n", dbm_last_error()->message); /* side by side; the others go on */
    sql_work(mgr, "default");
    sql_work(mgr, "orders");
    sql_work(mgr, "stock");
    redis_work(mgr, "cache");
    mongo_work(mgr, "events");
    printf("\n%-8s  %-10s  %-14s  %11s  %s\n", "name", "type", "status", "latency", "message");
    dbm_health(mgr, health_line, NULL);
    dbm_manager_free(mgr);
    return failures == 0 ? 0 : 1;
}
