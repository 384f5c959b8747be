/* Blocks without the cleanup attribute: their ends, `continue` and `break` work as elsewhere; return and goto are DBM_RETURN and DBM_GOTO.
 * Built by fallback.sh; prints what is wrong. Also built where the attribute exists, since such a program must mean the same there. */
#define DBM_IMPLEMENTATION
#include "dbm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(NO_AUTO) && defined(DBM_AUTO_SESSION)
#  error "DBM_AUTO_SESSION can't exist without the attribute"
#endif

static dbm_manager *mgr;
static dbm_database *db, *other;
static int wrong;

static void check(int line, const char *what, int good) {
    if (good) return;
    fprintf(stderr, "fallback.c:%d: %s (last failure: %s)\n", line, what, dbm_last_error()->message);
    wrong++;
}
#define CHECK(x) check(__LINE__, #x, (x) ? 1 : 0)

static int out_of(dbm_database *d) {
    dbm_stats_info s;
    dbm_stats(d, &s);
    return s.out;
}
static int64_t number(const char *sql) {
    dbm_row *row = NULL;
    int64_t n = -1;
    if (dbm_query_one(DBM_ON(db), &row, sql) == DBM_OK) n = dbm_row_int(row, 0);
    dbm_row_end(row);
    return n;
}
#define SUM "SELECT coalesce(sum(a), 0) FROM t"
static void put(dbm_session *s, int a) { CHECK(dbm_exec(s, "INSERT INTO t (a) VALUES (?)", dbm_int(a)) == DBM_OK); }

/* Leaves a session in the ways that need no help, and in those that do. */
static int leave(int way, int commits, dbm_status *rc) {
    int i;
    for (i = 0; i < 2; i++) {
        DBM_SESSION_RC(mgr, NULL, s, rc) {
            put(s, 1);
            if (commits) dbm_commit(s);
            if (way == 1) continue;
            if (way == 2) break;
            if (way == 3) DBM_RETURN(s, 30 + i);
            if (way == 4) DBM_GOTO(s, out);
        }
        if (i == 0) break;
    }
    return 10;
out:
    return 40 + i;
}

static void each_way_out(void) {
    static const int returned[] = { 10, 10, 10, 30, 40 };
    int way, commits;
    for (commits = 0; commits < 2; commits++) {
        for (way = 0; way < 5; way++) {
            dbm_status rc = DBM_OK, expected = way < 2 || commits ? DBM_OK : DBM_E_LEFT_EARLY;
            CHECK(leave(way, commits, &rc) == returned[way]);
            CHECK(rc == expected);
            CHECK(out_of(db) == 0);
            CHECK(number("SELECT count(*) FROM t") == (expected == DBM_OK));
            CHECK(dbm_session_failed(NULL) == (expected != DBM_OK));
            dbm_exec(DBM_ON(db), "DELETE FROM t");
        }
    }
}

/* Out of everything that may be open at once. */
static int leave_all(int way, dbm_status *rc, dbm_status *inner, dbm_status *far, dbm_status *part) {
    DBM_SESSION_RC(mgr, NULL, s, rc) {
        put(s, 1);
        DBM_SESSION_RC(mgr, NULL, s2, inner) {
            put(s2, 2);
            DBM_SESSION_RC(mgr, "other", s3, far) {
                dbm_exec(s3, "INSERT INTO u VALUES (1)");
                DBM_SAVEPOINT_RC(s2, part) {
                    put(s2, 4);
                    DBM_EACH(s2, row, "SELECT a FROM t ORDER BY a") {
                        DBM_EACH(s3, row3, "SELECT 1") {
                            (void)row3;
                            if (dbm_row_int(row, 0) == 2 && way == 1) DBM_RETURN(s, 7);
                            if (dbm_row_int(row, 0) == 2 && way == 2) DBM_GOTO(s, out);
                            if (dbm_row_int(row, 0) == 2 && way == 3) DBM_GOTO(s2, inner_out);
                        }
                    }
                }
            }
        }
    inner_out:
        put(s, 8);
    }
    return 0;
out:
    return 9;
}

static void nested_blocks_end_together(void) {
    dbm_status rc, inner, far, part;
    CHECK(leave_all(1, &rc, &inner, &far, &part) == 7);
    CHECK(rc == DBM_E_LEFT_EARLY && inner == DBM_E_LEFT_EARLY && far == DBM_E_LEFT_EARLY);
    CHECK(out_of(db) == 0 && out_of(other) == 0);
    CHECK(number(SUM) == 0);
    CHECK(leave_all(2, &rc, &inner, &far, &part) == 9);
    CHECK(out_of(db) == 0 && out_of(other) == 0);
    CHECK(number(SUM) == 0);
    CHECK(leave_all(3, &rc, &inner, &far, &part) == 0);
    CHECK(rc == DBM_OK && inner == DBM_E_LEFT_EARLY && far == DBM_E_LEFT_EARLY);
    CHECK(out_of(db) == 0 && out_of(other) == 0);
    CHECK(number(SUM) == 1 + 8);
    CHECK(leave_all(0, &rc, &inner, &far, &part) == 0);
    CHECK(rc == DBM_OK && inner == DBM_OK && far == DBM_OK && part == DBM_OK);
    CHECK(number(SUM) == 9 + 1 + 2 + 4 + 8);
    dbm_exec(DBM_ON(db), "DELETE FROM t");
    dbm_session_failed(NULL);
}

static void savepoints(void) {
    dbm_status rc, part = DBM_OK;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_SAVEPOINT_RC(s, &part) put(s, 1);
        CHECK(part == DBM_OK);
        DBM_SAVEPOINT_RC(s, &part) {
            put(s, 100);
            dbm_exec(s, "INSERT INTO nowhere VALUES (1)");
        }
        CHECK(part == DBM_E_SQL);
        CHECK(dbm_clear_error(s) == DBM_OK);
        put(s, 2);
        DBM_SAVEPOINT_RC(s, &part) {
            put(s, 200);
            break;
        }
        CHECK(part == DBM_ROLLED_BACK);
        DBM_SAVEPOINT(s) {
            put(s, 4);
            DBM_SAVEPOINT(s) {
                put(s, 400);
                if (part == DBM_ROLLED_BACK) break;
            }
            if (part == DBM_ROLLED_BACK) continue;
            put(s, 800);
        }
        CHECK(dbm_commit(s) == DBM_OK); /* none of them is open */
    }
    CHECK(rc == DBM_OK);
    CHECK(number(SUM) == 1 + 2 + 4);
    dbm_exec(DBM_ON(db), "DELETE FROM t");
}

#if defined(NO_AUTO) /* elsewhere return can't know of a session by hand */
static int by_hand(void) {
    dbm_session h;
    if (dbm_session_begin(db, NULL, &h) != DBM_OK) return 0;
    put(&h, 1);
    dbm_commit(&h);
    DBM_RETURN(&h, 5);
}
#endif

/* Out of loops on a database's handle, which own their connections. */
static int leave_loops(int way, dbm_status *rc) {
    DBM_SESSION_RC(mgr, NULL, s, rc) {
        put(s, 1);
        DBM_EACH(DBM_ON(other), row, "SELECT 1 UNION ALL SELECT 2") {
            DBM_EACH(DBM_ON(other), row2, "SELECT 1 UNION ALL SELECT 2") {
                (void)row;
                (void)row2;
                if (way == 1) DBM_RETURN(s, 1);
                if (way == 2) DBM_GOTO(s, out);
                if (way == 3) DBM_GOTO(row, next);
            }
        }
    next:
        CHECK(out_of(other) == 0 && out_of(db) == 1);
        put(s, 2);
    }
    return 10;
out:
    return 20;
}

/* Out of a loop that stands in no block, and of a block inside it. */
static int leave_a_loop(int way) {
    DBM_EACH(DBM_ON(db), row, "SELECT 1 UNION ALL SELECT 2") {
        DBM_SESSION(mgr, "other", s) {
            DBM_EACH(DBM_ON(other), row2, "SELECT 1") {
                (void)row2;
                (void)s;
                if (way == 1) DBM_RETURN(row, 1);
                if (way == 2) DBM_GOTO(row, out);
            }
        }
    }
    return 10;
out:
    return 20;
}

#if defined(NO_AUTO)
static int leave_by_hand(void) {
    dbm_session h;
    CHECK(dbm_session_begin(other, NULL, &h) == DBM_OK);
    DBM_EACH(DBM_ON(db), row, "SELECT 1 UNION ALL SELECT 2") {
        (void)row;
        CHECK(out_of(db) == 2 && out_of(other) == 1); /* the caller's loop too */
        DBM_RETURN(&h, 7);
    }
    return 10;
}
#endif

/* Only the loop: the session is the caller's. */
static int first_above(dbm_session *s, int a) {
    DBM_EACH(s, row, "SELECT a FROM t ORDER BY a") {
        DBM_EACH(s, again, "SELECT 1") {
            int found = (int)dbm_row_int(row, 0);
            (void)again;
            if (found > a) {
                DBM_SESSION(mgr, NULL, s2) {
                    (void)s2;
                    DBM_RETURN(row, found);
                }
            }
        }
    }
    return -1;
}

static void loops_on_a_handle(void) {
    static const int returned[] = { 10, 1, 20, 10 };
    dbm_status rc;
    int way;
    for (way = 0; way < 4; way++) {
        CHECK(leave_loops(way, &rc) == returned[way]);
        CHECK(rc == (way == 1 || way == 2 ? DBM_E_LEFT_EARLY : DBM_OK));
        CHECK(out_of(db) == 0 && out_of(other) == 0);
    }
    for (way = 0; way < 3; way++) {
        CHECK(leave_a_loop(way) == returned[way]);
        CHECK(out_of(db) == 0 && out_of(other) == 0);
    }
    dbm_session_failed(NULL);
#if defined(NO_AUTO)
    DBM_EACH(DBM_ON(db), row, "SELECT 5") {
        CHECK(leave_by_hand() == 7);
        CHECK(out_of(db) == 1 && out_of(other) == 0);
        CHECK(dbm_row_int(row, 0) == 5);
    }
    CHECK(out_of(db) == 0);
#endif
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        CHECK(first_above(s, 1) == 2);
        CHECK(dbm_commit(s) == DBM_OK); /* no row is open, and the session is */
        put(s, 4);
    }
    CHECK(rc == DBM_OK);
    dbm_exec(DBM_ON(db), "DELETE FROM t");
}

static void rows_and_the_rest(void) {
    dbm_status rc;
    int loops = 0, failed = 0, runs = 0;
    DBM_EACH(DBM_ON(db), row, "SELECT 1 UNION ALL SELECT 2") { loops += (int)dbm_row_int(row, 0); break; }
    DBM_EACH(DBM_ON(db), row, "SELECT 1 UNION ALL SELECT 2") { loops += (int)dbm_row_int(row, 0); continue; }
    CHECK(loops == 4 && out_of(db) == 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_EACH(s, row, "SELECT 1 UNION ALL SELECT 2") { (void)row; break; }
        put(s, 2);
    }
    CHECK(rc == DBM_OK && number(SUM) == 3);
    DBM_SESSION(mgr, NULL, s) dbm_exec(s, "INSERT INTO nowhere VALUES (1)");
    DBM_FAILED(err) { failed += err->status == DBM_E_SQL; continue; }
    DBM_FAILED(err) { failed += err->status != DBM_OK; break; }
    CHECK(failed == 1);
    DBM_RETRY(mgr, NULL, s, 3) { runs++; put(s, 4); }
    CHECK(runs == 1 && number(SUM) == 7);
    DBM_SESSION_RC(mgr, "nobody", s, &rc) { (void)s; runs++; }
    CHECK(rc == DBM_E_UNKNOWN_NAME && runs == 1);
#if defined(NO_AUTO)
    DBM_SESSION_RC(mgr, "other", s, &rc) { /* a session by hand leaves the blocks around it alone */
        dbm_exec(s, "INSERT INTO u VALUES (2)");
        CHECK(by_hand() == 5);
        CHECK(out_of(other) == 1 && out_of(db) == 0);
        CHECK(dbm_exec(s, "INSERT INTO u VALUES (3)") == DBM_OK);
    }
    CHECK(rc == DBM_OK && number(SUM) == 8);
#endif
}

static void rows_in_bulk(void) {
    static int64_t ids[] = { 1, 2, 3 };
    dbm_column column;
    dbm_bulk *b = NULL;
    CHECK(dbm_exec(DBM_ON(db), "DELETE FROM t") == DBM_OK);
    column = dbm_column_of(dbm_to_int64(ids), 0, DBM_TYPE_NULL, NULL);
    CHECK(dbm_bulk_begin(DBM_ON(db), &b, "t", "a") == DBM_OK);
    CHECK(dbm_bulk_columns(b, &column, 1, 3) == DBM_OK);
    CHECK(dbm_bulk_row(b, dbm_int(10)) == DBM_OK);
    CHECK(dbm_bulk_end(b) == DBM_OK);
    CHECK(number(SUM) == 16);
}

static int warnings;
static void log_line(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    (void)ud;
    (void)level;
    (void)database;
    (void)text;
    warnings += event_id == DBM_EVENT_LEFT_EARLY;
}

int main(int argc, char **argv) {
    dbm_options options;
    dbm_config config;
    char url[512];
    if (argc != 2 || strlen(argv[1]) > 400) return 2;
    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    options.log = log_line;
    if (dbm_manager_create(&mgr, &options) != DBM_OK) return 3;
    sprintf(url, "sqlite:///%s/fallback.db", argv[1]);
    config.url = url;
    config.pool.size = 2;
    if (dbm_add_database(mgr, &config) != DBM_OK) return 4;
    sprintf(url, "sqlite:///%s/other.db", argv[1]);
    config.name = "other";
    if (dbm_add_database(mgr, &config) != DBM_OK || dbm_init_all(mgr) != DBM_OK) return 5;
    db = dbm_get(mgr, NULL);
    other = dbm_get(mgr, "other");
    CHECK(dbm_exec(DBM_ON(db), "CREATE TABLE t (a)") == DBM_OK);
    CHECK(dbm_exec(DBM_ON(other), "CREATE TABLE u (a)") == DBM_OK);
    each_way_out();
    CHECK(warnings == 3);
    nested_blocks_end_together();
    savepoints();
    loops_on_a_handle();
    rows_and_the_rest();
    rows_in_bulk();
    CHECK(out_of(db) == 0 && out_of(other) == 0);
    CHECK(dbm_close_all(mgr) == DBM_OK);
    dbm_manager_free(mgr);
    return wrong != 0;
}
