/* The work that counts.sh counts instructions of: each mode does the same thing `n` times, by the raw driver or by dbm.h. Run with two
 * values of n, the difference of the totals is the exact cost of one. */
#define DBM_IMPLEMENTATION
#include "dbm.h"
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int64_t sink;
static const char lookup[] = "SELECT name, age FROM users WHERE id = ?";

static void die(const char *what, const char *why) {
    fprintf(stderr, "counts: %s: %s\n", what, why);
    exit(2);
}

/* ---- by hand, against sqlite3.h: one thread to a connection, statements prepared once --------------------------------------------- */

static sqlite3 *raw_open(const char *path, bool no_mutex) {
    sqlite3 *db;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | (no_mutex ? SQLITE_OPEN_NOMUTEX : 0), NULL) != SQLITE_OK) die("open", sqlite3_errmsg(db));
    return db;
}

static sqlite3_stmt *raw_prepare(sqlite3 *db, const char *sql) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK) die(sql, sqlite3_errmsg(db));
    return st;
}

static void raw_lookup(sqlite3_stmt *st, int64_t id) {
    sqlite3_bind_int64(st, 1, id);
    if (sqlite3_step(st) != SQLITE_ROW) die("lookup", "no row");
    sink += (int64_t)strlen((const char *)sqlite3_column_text(st, 0)) + sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
}

static void raw_step(sqlite3_stmt *st) {
    if (sqlite3_step(st) != SQLITE_DONE) die("step", "not done");
    sqlite3_reset(st);
}

/* ---- the modes ------------------------------------------------------------------------------------------------------------------ */

int main(int argc, char **argv) {
    const char *mode = argc > 3 ? argv[1] : "", *path = argc > 3 ? argv[2] : "";
    long i, n = argc > 3 ? atol(argv[3]) : 0;
    char url[600];
    dbm_manager *mgr = NULL;
    dbm_database *db;
    if (argc < 4) die("usage", "counts MODE FILE N");
    if (strncmp(mode, "raw", 3) == 0) {
        bool no_mutex = strncmp(mode, "rawn_", 5) == 0; /* rawn_: opened with SQLITE_OPEN_NOMUTEX, raw_: as sqlite3_open() does */
        sqlite3 *raw = raw_open(path, no_mutex);
        sqlite3_stmt *find = raw_prepare(raw, lookup), *begin = raw_prepare(raw, "BEGIN"), *commit = raw_prepare(raw, "COMMIT");
        mode += no_mutex ? 5 : 4;
        raw_lookup(find, 1);
        if (strcmp(mode, "lookup") == 0) {
            raw_step(begin);
            for (i = 0; i < n; i++) raw_lookup(find, i % 100 + 1);
            raw_step(commit);
        } else if (strcmp(mode, "session") == 0) {
            for (i = 0; i < n; i++) {
                raw_step(begin);
                raw_lookup(find, i % 100 + 1);
                raw_step(commit);
            }
        } else {
            die(mode, "no such mode");
        }
        return 0;
    }
    snprintf(url, sizeof url, "sqlite:///%s", path);
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_add_database(mgr, DBM_CONFIG(.name = "default", .url = url)) != DBM_OK || dbm_init_all(mgr) != DBM_OK) {
        die("dbm", dbm_last_error()->message);
    }
    db = dbm_get(mgr, "default");
    DBM_SESSION_ON(db, s) { /* warm */
        dbm_row *row;
        const char *name;
        int64_t age;
        if (dbm_query_one(s, &row, lookup, 1) == DBM_OK) dbm_scan(row, &name, &age);
    }
    if (strcmp(mode, "text") == 0) {
        DBM_SESSION_ON(db, s) for (i = 0; i < n; i++) {
            dbm_row *row;
            if (dbm_query_one(s, &row, lookup, i % 100 + 1) != DBM_OK) die("text", dbm_last_error()->message);
            sink += (int64_t)strlen(dbm_row_text(row, 0)) + dbm_row_int(row, 1);
        }
    } else if (strcmp(mode, "prepared") == 0) {
        DBM_SESSION_ON(db, s) {
            dbm_statement *st;
            dbm_prepare(s, lookup, &st);
            for (i = 0; i < n; i++) {
                dbm_row *row;
                if (dbm_stmt_query_one(st, &row, i % 100 + 1) != DBM_OK) die("prepared", dbm_last_error()->message);
                sink += (int64_t)strlen(dbm_row_text(row, 0)) + dbm_row_int(row, 1);
            }
        }
    } else if (strcmp(mode, "session_text") == 0) {
        for (i = 0; i < n; i++) DBM_SESSION_ON(db, s) {
            dbm_row *row;
            if (dbm_query_one(s, &row, lookup, i % 100 + 1) != DBM_OK) die("session", dbm_last_error()->message);
            sink += (int64_t)strlen(dbm_row_text(row, 0)) + dbm_row_int(row, 1);
        }
    } else if (strcmp(mode, "empty_on") == 0) {
        for (i = 0; i < n; i++) DBM_SESSION_ON(db, s) sink++;
    } else if (strcmp(mode, "empty_name") == 0) {
        for (i = 0; i < n; i++) DBM_SESSION(mgr, "default", s) sink++;
    } else if (strcmp(mode, "slot") == 0) {
        for (i = 0; i < n; i++) {
            dbm__slot *slot = NULL;
            if (dbm__pool_take(db, INT64_MAX, 1, "here", &slot) != DBM_OK) die("slot", "none");
            sink += slot->index;
            dbm__pool_give(slot);
        }
    } else if (strcmp(mode, "loop") == 0) {
        for (i = 0; i < n; i++) sink++;
    } else {
        die(mode, "no such mode");
    }
    dbm_manager_free(mgr);
    return 0;
}
