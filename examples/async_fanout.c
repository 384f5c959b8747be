/* One thread, a thousand tasks: each of them writes to a database, reads back what it wrote, and counts itself in Redis, and all of them are under way at once over
 * a few connections. By itself it uses SQLite, on two worker threads of the loop; built with -DDBM_WITH_POSTGRESQL, -DDBM_WITH_MYSQL or -DDBM_WITH_REDIS it
 * uses those too, at POSTGRESQL_URL, MYSQL_URL and REDIS_URL, without any thread. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_SQLITE
#define DBM_WITH_ASYNC
#include "dbm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TASKS = 1000 };

typedef struct order {
    int number;
    dbm_database *db, *cache;   /* cache: NULL where there is none */
    dbm_session s, c;           /* all that lives across an await stands in here */
    dbm_rows *rows;
    dbm_row *row;
} order;

static int done, failed, sold;

static dbm_task_status sell(dbm_task *t) {
    order *o = (order *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on_opt(t, o->db, &o->s, .write = 1));
    DBM_AWAIT(t, dbm_async_exec(&o->s, "INSERT INTO fanout (id, what) VALUES (?, ?)", o->number, "tea"));
    DBM_AWAIT(t, dbm_async_exec(&o->s, "UPDATE fanout SET price = id * 2 WHERE id = ?", o->number));
    DBM_AWAIT(t, dbm_async_query(&o->s, &o->rows, "SELECT id, price FROM fanout WHERE id = ?", o->number));
    DBM_AWAIT_ROW(t, o->rows, o->row) {
        int64_t id, price;
        if (dbm_scan(o->row, &id, &price) == DBM_OK && price == id * 2) sold++;
    }
    DBM_AWAIT(t, dbm_async_end(&o->s)); /* commits, and gives the connection back before the cache is asked for */
    if (o->cache != NULL) {
        DBM_AWAIT(t, dbm_async_session_on(t, o->cache, &o->c));
        DBM_AWAIT(t, dbm_async_redis_command(&o->c, NULL, "INCR %s", "fanout:sold"));
    }
    DBM_TASK_END(t);
}

static void ended(void *ud, dbm_status status, const dbm_error_info *error) {
    (void)ud;
    (void)status;
    done++;
    if (error != NULL && failed++ < 5) fprintf(stderr, "%s\n", error->message);
}

static dbm_database *open_one(dbm_manager *mgr, const char *name, const char *url) {
    dbm_database *db;
    if (dbm_add_database(mgr, DBM_CONFIG(.name = name, .url = url, .pool.size = 8, .pool.max_overflow = -1, .pool.timeout_ms = 60000)) != DBM_OK
        || (db = dbm_get(mgr, name)) == NULL || dbm_ping(db) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        exit(1);
    }
    return db;
}

int main(void) {
    static const struct { const char *type, *variable; } servers[] = { { "postgresql", "POSTGRESQL_URL" }, { "mysql", "MYSQL_URL" } };
    static order orders[TASKS];
    dbm_manager *mgr;
    dbm_loop *loop;
    dbm_database *sql[3], *cache = NULL;
    int count = 0, shown = 0, i;
    clock_t began;
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_loop_create(&loop, mgr, DBM_LOOP_OPTIONS(.workers = 2)) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return 1;
    }
    sql[count++] = open_one(mgr, "sqlite", "sqlite:///fanout.db");
    for (i = 0; i < 2; i++) {
        if (dbm_compiled_with(servers[i].type) && getenv(servers[i].variable) != NULL) sql[count++] = open_one(mgr, servers[i].type, getenv(servers[i].variable));
    }
    if (dbm_compiled_with("redis") && getenv("REDIS_URL") != NULL) {
        cache = open_one(mgr, "redis", getenv("REDIS_URL"));
        dbm_redis_command(cache, "DEL fanout:sold");
    }
    for (i = 0; i < count; i++) {
        dbm_exec(sql[i], "DROP TABLE IF EXISTS fanout");
        dbm_exec(sql[i], "CREATE TABLE fanout (id INTEGER PRIMARY KEY, what VARCHAR(20), price INTEGER)");
    }

    began = clock();
    for (i = 0; i < TASKS; i++) {
        orders[i].number = i;
        orders[i].db = sql[i % count];
        orders[i].cache = cache;
        dbm_spawn_opt(loop, sell, &orders[i], .on_end = ended);
    }
    while (dbm_loop_step(loop, 1000) == DBM_OK) {
        if (done / 100 == shown) continue;
        shown = done / 100;
        printf("%4d of %d tasks are over\n", done, TASKS);
        fflush(stdout);
    }
    printf("%d orders sold, %d failed, in %d databases; %.0f ms of processor time\n", sold, failed, count, (double)(clock() - began) * 1000 / CLOCKS_PER_SEC);
    for (i = 0; i < count; i++) {
        dbm_stats_info s;
        dbm_stats(sql[i], &s);
        printf("%-10s %d connections, %d of them out\n", dbm_database_name(sql[i]), s.open, s.out);
    }
    if (cache != NULL) {
        dbm_row *row = NULL;
        if (dbm_redis_get(cache, &row, "fanout:sold") == DBM_OK) printf("Redis counted %s\n", dbm_row_text(row, 0));
        dbm_row_end(row);
    }
    dbm_loop_free(loop);
    dbm_manager_free(mgr);
    return failed != 0 || sold != TASKS;
}
