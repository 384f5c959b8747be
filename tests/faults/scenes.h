/* A program's life in scenes: a manager made, loaded, opened, worked with in every way, closed and freed, over two SQLite files and one
 * database in memory. Each scene is one call or one session; those that write mark what they wrote with a unit of their own, so that a
 * look at the file tells whether a unit is there as a whole, or not at all.
 *
 *     stage x; stage_open(&x, &options, pool_size);
 *     stage_play(&x);                        all scenes; a failure must be one that x.faults() counted
 *     stage_close(&x);
 *
 * A scene that fails is played once more after x.stop(), and must then succeed (unless x.lasting: the faults go on to the end).
 * After each scene: the file holds what the status says, nobody holds a connection, nobody has a transaction open. */
#ifndef DBM_TEST_SCENES_H
#define DBM_TEST_SCENES_H
#include "dbm_test.h"
#include <sqlite3.h>

typedef struct stage {
    dbm_manager *mgr;
    dbm_options options;
    test_dir dir;
    int pool_size;
    bool lasting;               /* faults go on: nothing is played twice */
    long (*faults)(void);       /* how many there were so far */
    void (*stop)(void);         /* no more of them */
    void (*pause)(bool paused); /* around looks at the file; NULL: not needed */
    const char *what;           /* for messages: which sweep */
    long n;                     /* and where it is */
    const char *scene;
    sqlite3 *raw;
    int played, failed, spared; /* scenes; those that failed; faults that nobody noticed */
    char ini[1024];
} stage;

#define WANT(x, c) do { if (!(c)) stage_failed(x, __LINE__, #c); } while (0)
static __attribute__((__noreturn__)) void stage_failed(const stage *x, int line, const char *what) {
    fprintf(stderr, "scenes.h:%d: %s, fault %ld, scene %s: failed: %s\n  last error: %s: %s\n", line, x->what, x->n, x->scene, what,
            dbm_status_name(dbm_last_error()->status), dbm_last_error()->message);
    abort();
}

/* Time passes by being looked at: 20 ms each time. */
static int64_t stage_now = 1000000000;
TEST_HELPER int64_t stage_clock(void *ud) { (void)ud; return stage_now += 20000; }
TEST_HELPER void stage_quiet(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    (void)ud;
    (void)level;
    if (event_id <= 0 || database == NULL || text == NULL) abort();
}

/* ---- models and words -------------------------------------------------------------------------------------------------- */

typedef struct part { int64_t id; int32_t unit; int32_t number; char *note; } part;
DBM_MODEL(part, "parts", DBM_KEY(id), DBM_FIELD(unit), DBM_FIELD(number), DBM_FIELD(note, DBM_NOT_NULL | DBM_UNIQUE));
typedef struct person { int64_t id; char *name; int16_t age; bool admin; double score; dbm_optional_int boss; dbm_bytes photo; } person;
DBM_MODEL(person, "people", DBM_KEY(id), DBM_FIELD(name, DBM_NOT_NULL), DBM_FIELD(age), DBM_FIELD(admin), DBM_FIELD(score), DBM_FIELD(boss),
          DBM_FIELD(photo));
static const dbm_model *const stage_models[] = { &part_model, &person_model };

#define ADD_PART "INSERT INTO parts(unit, number, note) VALUES (?, ?, ?)"
TEST_HELPER const char *note_of(int unit, int number, char *block, size_t size) {
    (void)snprintf(block, size, "%d/%d %s", unit, number, number % 2 ? "" : "a note that is longer than most: gr\xC3\xBC\xC3\x9F Gott");
    return block;
}
TEST_HELPER dbm_status add(dbm_session *s, int unit, int number) {
    char block[100];
    return dbm_exec(s, ADD_PART, unit, number, note_of(unit, number, block, sizeof block));
}
/* The outcome of a block, and DBM_FAILED's idea of it. */
TEST_HELPER dbm_status outcome(const stage *x, dbm_status rc) {
    dbm_error_info e;
    bool failed = dbm_session_failed(&e);
    WANT(x, failed == (rc != DBM_OK && rc != DBM_ROLLED_BACK));
    WANT(x, !failed || (e.status == rc && e.message[0] != '\0'));
    return rc;
}
/* A block that undid its work because of what failed inside of it. */
TEST_HELPER dbm_status outcome_within(const stage *x, dbm_status rc, dbm_status inner) {
    if (inner == DBM_OK || rc != DBM_ROLLED_BACK) return outcome(x, rc);
    (void)dbm_session_failed(NULL);
    return inner;
}

/* ---- the scenes -------------------------------------------------------------------------------------------------------- */

static dbm_status play_load_file(stage *x) {
    dbm_manager *mgr = NULL;
    dbm_status st = dbm_manager_load(&mgr, test_dir_file(&x->dir, "app.ini"), &x->options);
    WANT(x, (st == DBM_OK) == (mgr != NULL));
    dbm_manager_free(mgr);
    return st;
}
static dbm_status play_create(stage *x) {
    dbm_status st = dbm_manager_create(&x->mgr, &x->options);
    WANT(x, (st == DBM_OK) == (x->mgr != NULL));
    return st;
}
static dbm_status play_load(stage *x) { return dbm_load_text(x->mgr, x->ini, SIZE_MAX); }
static dbm_status play_mistakes(stage *x) {
    static const char text[] = "[databases.bad]\nurl = sqlite:///a.db\npool_sise = 3\n[database.near]\nurl = x\n[databases.worse]\nurl = ${NOT_THERE}\n";
    dbm_status st = dbm_load_text(x->mgr, text, SIZE_MAX);
    if (st == DBM_E_CONFIG) {
        WANT(x, strstr(dbm_last_error()->message, "pool_size") != NULL);
        st = DBM_OK;
    } else {
        WANT(x, st != DBM_OK);
    }
    return st;
}
static dbm_status play_add(stage *x) {
    static const dbm_option options[] = { { "foreign_keys", "off" }, { "cache_size", "-200" } };
    return dbm_add_database(x->mgr, DBM_CONFIG(.name = "memory", .url = "sqlite:///:memory:", .statement_cache = 4, .options = options, .option_count = 2));
}
static dbm_status play_unknown(stage *x) {
    dbm_status st;
    if (dbm_get(x->mgr, "defualt") != NULL) return DBM_E_MISUSE;
    st = dbm_last_error()->status;
    return st == DBM_E_UNKNOWN_NAME ? DBM_OK : st;
}
static dbm_status play_init(stage *x) { return dbm_init_all(x->mgr); }
static dbm_status play_get(stage *x) {
    return dbm_get(x->mgr, NULL) != NULL && dbm_get(x->mgr, "other") != NULL && dbm_get(x->mgr, "memory") != NULL ? DBM_OK : dbm_last_error()->status;
}
static dbm_status play_tables(stage *x) { return dbm_create_all(dbm_get(x->mgr, NULL), stage_models, 2); }
static dbm_status play_tables_elsewhere(stage *x) {
    dbm_status st = dbm_create_all(dbm_get(x->mgr, "memory"), stage_models, 2);
    return st != DBM_OK ? st : dbm_create_all(dbm_get(x->mgr, "other"), stage_models + 1, 1);
}
static dbm_status play_inserts(stage *x) {
    dbm_status rc;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        for (int i = 0; i < 3; i++) add(s, 1, i);
        if (dbm_status_of(s) == DBM_OK) WANT(x, dbm_affected(s) == 1 && dbm_last_id(s) > 0);
    }
    return outcome(x, rc);
}
static dbm_status play_structs(stage *x) {
    static const unsigned char photo[] = { 0, 1, 2, 0, 255 };
    dbm_status rc;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        person p = { 0, NULL, 36, true, 0.1, { true, 7 }, { photo, sizeof photo } }, found;
        char name[] = "Ada", longer[] = "Ada, Countess of Lovelace, the first who wrote a program";
        p.name = name;
        dbm_insert_struct(s, &person_model, &p);
        p.name = longer;
        p.boss.has = false;
        dbm_update_struct(s, &person_model, &p);
        if (dbm_find(s, &person_model, &found, p.id) == DBM_OK) {
            WANT(x, strcmp(found.name, longer) == 0 && found.age == 36 && found.admin && !found.boss.has && found.photo.size == 5);
            WANT(x, memcmp(found.photo.data, photo, sizeof photo) == 0);
        }
        dbm_delete_struct(s, &person_model, &p);
        add(s, 2, 0);
    }
    return outcome(x, rc);
}
static dbm_status play_reads(stage *x) {
    dbm_status rc;
    int64_t sum = 0, scanned = -1;
    int rows = 0, ends = 0;
    char kept[100] = "";
    dbm_optional_int none = { true, 1 };
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        dbm_row *one;
        DBM_EACH(s, row, "SELECT id, unit, number, note FROM parts WHERE unit = ? AND note >= ? ORDER BY number", 1, "1/") {
            char block[100];
            sum += dbm_row_int(row, 2);
            if (dbm_status_of(s) == DBM_OK) WANT(x, strcmp(dbm_row_text(row, 3), note_of(1, rows, block, sizeof block)) == 0);
            WANT(x, dbm_row_index(row, "NUMBER") == 2);
            rows++;
        }
        if (dbm_query_one(s, &one, "SELECT number, note, NULL FROM parts WHERE unit = ? ORDER BY number DESC", 1) == DBM_OK) {
            if (dbm_scan(one, &scanned, &kept, &none) == DBM_OK) WANT(x, strncmp(kept, "1/2 ", 4) == 0 && !none.has);
        }
        if (dbm_query_one(s, &one, "SELECT 1.5, 123456789, x'00ff'") == DBM_OK) {
            size_t size = 0;
            const char *number = dbm_row_text(one, 1), *real = dbm_row_text(one, 0);
            const void *blob = dbm_row_blob(one, 2, &size);
            if (dbm_status_of(s) == DBM_OK) WANT(x, strcmp(number, "123456789") == 0 && strcmp(real, "1.5") == 0 && size == 2 && blob != NULL);
        }
        if (dbm_status_of(s) == DBM_OK) WANT(x, dbm_query_one(s, &one, "SELECT 1 FROM parts WHERE unit = ?", -1) != DBM_OK);
        DBM_EACH(s, row, "SELECT p.number, q.number FROM parts p, parts q WHERE p.unit = 1 AND q.unit = 1") {
            (void)row;
            if (++ends == 4) break;
        }
    }
    if (rc == DBM_OK) WANT(x, rows == 3 && sum == 3 && scanned == 2 && ends == 4);
    return outcome(x, rc);
}
/* Writes inside of a loop over the table that they write to; the rows read on are those of before. */
static dbm_status play_hold(stage *x) {
    dbm_status rc;
    int rows = 0, more = 0;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "SELECT number, note FROM parts WHERE unit = 1 ORDER BY number") { /* read before the write: a second run */
            char block[100];
            const char *note = dbm_row_text(row, 1);
            add(s, 3, rows);
            if (dbm_status_of(s) == DBM_OK) WANT(x, strcmp(note, note_of(1, rows, block, sizeof block)) == 0);
            rows++;
        }
        DBM_EACH(s, row, "SELECT note FROM parts WHERE unit IN (?, ?) ORDER BY id", 1, 3) { /* written first: the rows are put aside */
            if (more < 3) add(s, 3, 3 + more);
            if (dbm_status_of(s) == DBM_OK) WANT(x, strchr(dbm_row_text(row, 0), '/') != NULL);
            more++;
        }
    }
    if (rc == DBM_OK) WANT(x, rows == 3 && more == 6);
    return outcome(x, rc);
}
/* Rows of 20 KB put aside. */
static dbm_status play_hold_large(stage *x) {
    dbm_status rc;
    int rows = 0;
    size_t bytes = 0;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?) SELECT n, zeroblob(n * 4000), "
                 "CAST(zeroblob(n * 100) AS TEXT) FROM c", 5) {
            size_t size = 0;
            if (rows == 0) add(s, 4, 0);
            (void)dbm_row_blob(row, 1, &size);
            bytes += size;
            rows++;
        }
        add(s, 4, 1);
    }
    if (rc == DBM_OK) WANT(x, rows == 5 && bytes == 60000);
    return outcome(x, rc);
}
static dbm_status play_prepared(stage *x) {
    dbm_status rc;
    int rows = 0;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        dbm_statement *insert = NULL, *select = NULL;
        dbm_row *row;
        char block[100];
        dbm_prepare(s, ADD_PART, &insert);
        dbm_prepare(s, "SELECT number, note FROM parts WHERE unit = ? AND number >= ?", &select);
        for (int i = 0; i < 4; i++) dbm_stmt_exec(insert, 5, i, note_of(5, i, block, sizeof block));
        DBM_STMT_EACH(select, outer, 5, 0) {
            dbm_rows *inner = NULL;
            (void)outer;
            if (dbm_stmt_query(select, &inner, 5, 2) == DBM_OK) while (dbm_rows_next(inner, &row) == DBM_OK) rows++;
            dbm_rows_end(inner);
        }
        if (dbm_stmt_query_one(select, &row, 5, 3) == DBM_OK) WANT(x, dbm_row_int(row, 0) == 3 || dbm_status_of(s) != DBM_OK);
        dbm_stmt_end(insert);
    }
    if (rc == DBM_OK) WANT(x, rows == 8);
    return outcome(x, rc);
}
static dbm_status play_savepoints(stage *x) {
    dbm_status rc, part_of = DBM_OK;
    long before = x->faults();
    bool lifted = false;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        add(s, 6, 0);
        DBM_SAVEPOINT(s) {
            add(s, 6, 1);
            DBM_SAVEPOINT(s) add(s, 6, 2);
        }
        DBM_SAVEPOINT_RC(s, &part_of) {
            add(s, 6, 9);
            DBM_SAVEPOINT(s) add(s, 6, 1); /* not unique */
        }
        if (part_of == DBM_E_CONSTRAINT) {
            const dbm_error_info *e = dbm_last_error(); /* SQLite forgets the name when it has no memory to write it down */
            if (e->status == DBM_E_CONSTRAINT) {
                WANT(x, e->constraint == DBM_CONSTRAINT_UNIQUE);
                WANT(x, strcmp(e->constraint_name, "parts.note") == 0 || (e->constraint_name[0] == '\0' && x->faults() != before));
            }
            lifted = dbm_clear_error(s) == DBM_OK;
        } else {
            WANT(x, dbm_status_of(s) != DBM_OK);
        }
        add(s, 6, 3);
    }
    rc = outcome(x, rc);
    /* Where a savepoint could not be rolled back, what failed in it stays. */
    return rc == DBM_E_CONSTRAINT && !lifted && x->faults() != before ? DBM_E_NOMEM : rc;
}
static dbm_status play_nested(stage *x) {
    dbm_status rc, inner = DBM_OK, deeper = DBM_OK;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        add(s, 7, 0);
        DBM_SESSION_RC(x->mgr, "default", t, &inner) {
            add(t, 7, 1);
            DBM_SESSION_RC(x->mgr, NULL, u, &deeper) add(u, 7, 2);
            if (deeper != DBM_OK) break;
            add(t, 7, 3);
        }
        if (deeper != DBM_OK && deeper != DBM_ROLLED_BACK) inner = deeper;
        if (inner != DBM_OK) dbm_rollback(s);
    }
    return outcome_within(x, rc, inner);
}
static dbm_status play_separate(stage *x) {
    dbm_status rc, inner = DBM_OK;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        add(s, 8, 0);
        DBM_SESSION_OPT(x->mgr, NULL, t, .separate = 1, .read_only = 1, .timeout_ms = 5000, .status = &inner) {
            dbm_row *row;
            if (dbm_query_one(t, &row, "SELECT count(*) FROM parts WHERE unit = ?", 8) == DBM_OK) WANT(x, dbm_row_int(row, 0) == 0);
        }
        if (inner != DBM_OK) dbm_rollback(s);
    }
    return outcome_within(x, rc, inner);
}
static dbm_status play_two(stage *x) {
    dbm_session a, b;
    dbm_session_options reading = { 0 };
    dbm_database *db = dbm_get(x->mgr, NULL);
    dbm_row *row;
    dbm_status first, second, st;
    if (db == NULL) return dbm_last_error()->status;
    reading.read_only = true;
    first = dbm_session_begin(db, NULL, &a);
    second = dbm_session_begin(db, &reading, &b);
    if (first == DBM_OK) first = add(&a, 9, 0);
    if (second == DBM_OK) second = dbm_query_one(&b, &row, "SELECT count(*) FROM parts WHERE unit = ?", 9);
    if (first == DBM_OK) first = second != DBM_OK ? dbm_rollback(&a) : dbm_commit(&a);
    st = dbm_session_end(&a);
    if (first == DBM_OK) first = st;
    st = dbm_session_end(&b);
    WANT(x, second != DBM_OK || st == DBM_OK);
    return first != DBM_OK ? first : second;
}
static dbm_status play_all(stage *x) {
    person *people = NULL;
    size_t n = 0;
    dbm_status rc;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        for (int i = 0; i < 4; i++) {
            char name[40];
            person p = { 0, NULL, 0, false, 0.5, { false, 0 }, { NULL, 0 } };
            (void)snprintf(name, sizeof name, "person %d", i);
            p.name = name;
            p.age = (int16_t)(20 + i);
            dbm_insert_struct(s, &person_model, &p);
        }
        if (dbm_query_all(s, &person_model, &people, &n, "WHERE age > ? ORDER BY age", 20) == DBM_OK) {
            WANT(x, n == 3 && strcmp(people[2].name, "person 3") == 0);
        } else {
            WANT(x, people == NULL && n == 0);
        }
        dbm_exec(s, "DELETE FROM people");
        add(s, 10, 0);
    }
    dbm_free(people);
    return outcome(x, rc);
}
static dbm_status play_bulk(stage *x) {
    dbm_status rc;
    int64_t units[] = { 15, 15, 15 }, numbers[] = { 10, 11, 12 };
    const char *notes[] = { "15/10", "15/11", "15/12" };
    const dbm_column columns[] = { DBM_COLUMN(units), DBM_COLUMN(numbers), DBM_COLUMN(notes) };
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        dbm_bulk *b;
        char block[100];
        person people[2] = { { 0, (char *)(uintptr_t)"a", 20, false, 0.5, { false, 0 }, { NULL, 0 } }, { 0, (char *)(uintptr_t)"b", 21, false, 0.5, { false, 0 }, { NULL, 0 } } };
        if (dbm_bulk_begin(s, &b, "parts", "unit, number, \"note\"") == DBM_OK) {
            for (int i = 0; i < 5; i++) dbm_bulk_row(b, 15, i, note_of(15, i, block, sizeof block));
            dbm_bulk_end(b);
        }
        if (dbm_bulk_begin(s, &b, "parts", "unit,number,note") == DBM_OK) {
            dbm_bulk_columns(b, columns, 3, 3);
            dbm_bulk_end(b);
        }
        if (dbm_bulk_begin(s, &b, "parts", "unit,number,note") == DBM_OK) {
            dbm_bulk_row(b, 15, 20, "15/20");
            dbm_bulk_abandon(b);
        }
        dbm_insert_structs(s, &person_model, people, 2);
        dbm_exec(s, "DELETE FROM people");
    }
    return outcome(x, rc);
}
static dbm_status play_bulk_call(stage *x) { /* on the database */
    dbm_database *db = dbm_get(x->mgr, NULL);
    dbm_bulk *b;
    dbm_status st = dbm_bulk_begin(db, &b, "parts", "unit,number,note");
    if (st != DBM_OK) return st;
    (void)dbm_bulk_row(b, 16, 0, "16/0");
    (void)dbm_bulk_row(b, 16, 1, "16/1");
    return dbm_bulk_end(b);
}
static dbm_status play_script(stage *x) {
    dbm_status rc;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        dbm_script(s, "-- a script\nINSERT INTO parts(unit, number, note) VALUES (11, 0, 'a;b');\n\n/* two; */ INSERT INTO parts(unit, number, note) "
                   "VALUES (11, 1, 'c'); CREATE TEMP TABLE scratch(x); INSERT INTO scratch SELECT id FROM parts; DROP TABLE scratch;");
    }
    return outcome(x, rc);
}
static dbm_status play_values(stage *x) {
    char text[1500];
    dbm_status rc;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        dbm_row *row;
        dbm_exec(s, "INSERT INTO parts(note, unit, number) VALUES (:note, :unit, :number)", dbm_named("unit", dbm_int(12)),
                 dbm_named("number", dbm_uint(0)), dbm_named("note", dbm_text(text)));
        if (dbm_query_one(s, &row, "SELECT ?, ?, ?, ?, ?, ?", dbm_timestamp(1700000000123456), dbm_decimal("1.10"), true, 2.5, dbm_null(),
                          dbm_blob("a\0b", 3)) == DBM_OK) {
            int64_t when = dbm_row_timestamp(row, 0);
            const char *decimal = dbm_row_text(row, 1);
            if (dbm_status_of(s) == DBM_OK) WANT(x, when == 1700000000123456 && strcmp(decimal, "1.10") == 0 && dbm_row_is_null(row, 4));
        }
        if (dbm_query_one(s, &row, "SELECT length(note) FROM parts WHERE note = ?", text) == DBM_OK) WANT(x, dbm_row_int(row, 0) == 1499);
        DBM_EACH(s, each, "SELECT :a || note FROM parts WHERE unit = :unit AND note = :note", dbm_named("note", dbm_text(text)), dbm_named("unit", dbm_int(12)),
                 dbm_named("a", dbm_text("<"))) {
            if (dbm_status_of(s) == DBM_OK) WANT(x, strlen(dbm_row_text(each, 0)) == 1500);
        }
    }
    return outcome(x, rc);
}
static dbm_status play_retry(stage *x) {
    dbm_status rc = DBM_OK;
    dbm_error_info e;
    DBM_RETRY(x->mgr, NULL, s, 3) {
        add(s, 13, 0);
        add(s, 13, 1);
    }
    if (dbm_session_failed(&e)) rc = e.status;
    return rc;
}
static dbm_status play_calls(stage *x) {
    dbm_database *db = dbm_get(x->mgr, "memory");
    dbm_row *row = NULL;
    dbm_status st;
    int rows = 0;
    if (db == NULL) return dbm_last_error()->status;
    if ((st = dbm_exec(db, "DELETE FROM parts")) != DBM_OK || (st = dbm_exec(db, ADD_PART, 1, 1, "one")) != DBM_OK) return st;
    if ((st = dbm_exec(db, ADD_PART, 1, 2, "two")) != DBM_OK) return st;
    if ((st = dbm_query_one(db, &row, "SELECT note FROM parts WHERE number = ?", 1)) != DBM_OK) return st;
    if (strcmp(dbm_row_text(row, 0), "one") != 0) st = dbm_last_error()->status;
    dbm_row_end(row);
    if (st != DBM_OK) return st;
    /* A DBM_EACH on a database has no session to ask: what fails is the thread's last failure. */
    DBM_EACH(db, each, "SELECT note FROM parts") {
        (void)each;
        rows++;
    }
    return rows == 2 ? DBM_OK : dbm_last_error()->status;
}
/* Six statements through a cache of four. */
static dbm_status play_rotation(stage *x) {
    dbm_status rc;
    int64_t sum = 0;
    DBM_SESSION_RC(x->mgr, "memory", s, &rc) {
        for (int i = 0; i < 12; i++) {
            char sql[60];
            dbm_row *row;
            (void)snprintf(sql, sizeof sql, "SELECT %d + ?", i % 6);
            if (dbm_query_one(s, &row, sql, 1) == DBM_OK) sum += dbm_row_int(row, 0);
        }
    }
    if (rc == DBM_OK) WANT(x, sum == 42);
    return outcome(x, rc);
}
static dbm_status play_native(stage *x) {
    dbm_status rc;
    DBM_SESSION_RC(x->mgr, "other", s, &rc) {
        sqlite3 *handle = (sqlite3 *)dbm_native(s, "sqlite");
        WANT(x, (handle != NULL) == (dbm_status_of(s) == DBM_OK));
        if (handle != NULL) WANT(x, sqlite3_get_autocommit(handle) == 0);
    }
    return outcome(x, rc);
}
static dbm_status play_wrong(stage *x) {
    dbm_status rc;
    DBM_SESSION_RC(x->mgr, NULL, s, &rc) {
        add(s, 14, 0);
        dbm_exec(s, "INSERT INTO nowhere VALUES (?)", 1);
        add(s, 14, 1);
    }
    rc = outcome(x, rc);
    return rc == DBM_E_SQL ? DBM_OK : rc;
}
static void count_health(void *ud, const dbm_health_info *info) {
    if (info->status == DBM_OK) ++*(int *)ud;
}
static dbm_status play_upkeep(stage *x) {
    dbm_stats_info stats;
    dbm_status st;
    int healthy = 0;
    if ((st = dbm_health(x->mgr, count_health, &healthy)) != DBM_OK) return st;
    WANT(x, healthy == 3 || x->lasting);
    if ((st = dbm_ping(dbm_get(x->mgr, NULL))) != DBM_OK) return st;
    if ((st = dbm_stats(dbm_get(x->mgr, NULL), &stats)) != DBM_OK) return st;
    return dbm_maintain(x->mgr);
}
static dbm_status play_close(stage *x) { return dbm_close_all(x->mgr); }
static dbm_status play_free(stage *x) {
    dbm_manager_free(x->mgr);
    x->mgr = NULL;
    return DBM_OK;
}

/* parts: rows of the unit that the scene leaves when it succeeds. two: needs two connections. */
static const struct { const char *name; dbm_status (*play)(stage *x); int unit, parts; bool two; } scenes[] = {
    { "manager_load", play_load_file, 0, 0, false },
    { "manager_create", play_create, 0, 0, false },
    { "load_text", play_load, 0, 0, false },
    { "mistakes", play_mistakes, 0, 0, false },
    { "add_database", play_add, 0, 0, false },
    { "unknown name", play_unknown, 0, 0, false },
    { "init_all", play_init, 0, 0, false },
    { "get", play_get, 0, 0, false },
    { "create_all", play_tables, 0, 0, false },
    { "create_all elsewhere", play_tables_elsewhere, 0, 0, false },
    { "inserts", play_inserts, 1, 3, false },
    { "structs", play_structs, 2, 1, false },
    { "reads", play_reads, 0, 0, false },
    { "hold", play_hold, 3, 6, false },
    { "hold large", play_hold_large, 4, 2, false },
    { "prepared", play_prepared, 5, 4, false },
    { "savepoints", play_savepoints, 6, 4, false },
    { "nested", play_nested, 7, 4, false },
    { "separate", play_separate, 8, 1, true },
    { "two sessions", play_two, 9, 1, true },
    { "query_all", play_all, 10, 1, false },
    { "script", play_script, 11, 2, false },
    { "bulk", play_bulk, 15, 8, false },
    { "bulk on a database", play_bulk_call, 16, 2, false },
    { "values", play_values, 12, 1, false },
    { "retry", play_retry, 13, 2, false },
    { "calls", play_calls, 0, 0, false },
    { "rotation", play_rotation, 0, 0, false },
    { "native", play_native, 0, 0, false },
    { "wrong", play_wrong, 14, 0, false },
    { "upkeep", play_upkeep, 0, 0, false },
    { "close_all", play_close, 0, 0, false },
    { "free", play_free, 0, 0, false }
};
enum { SCENES = (int)(sizeof scenes / sizeof scenes[0]), SCENE_SESSIONS = 10 };

/* ---- the stage --------------------------------------------------------------------------------------------------------- */

/* options: without a clock, log or dir of their own. The directory is kept from play to play; its files are not. */
TEST_HELPER void stage_open(stage *x, const dbm_options *options, int pool_size) {
    memset(x, 0, sizeof *x);
    x->options = *options;
    x->options.log = stage_quiet;
    x->options.clock = stage_clock;
    x->options.no_env = true;
    x->options.grace_ms = -1;
    x->pool_size = pool_size;
    x->what = x->scene = "";
    test_dir_make(&x->dir);
    (void)snprintf(x->ini, sizeof x->ini,
        "[databases.default]\nurl = %s\npool_size = %d\nmax_overflow = 0\npool_timeout = 300ms\nsynchronous = off\nstatement_cache = 24\n"
        "[databases.other]\ntype = sqlite\nurl = %s\npool_size = 1\nmax_overflow = 0\njournal_mode = delete\nsynchronous = off\nstatement_cache = 8\n"
        "init_sql = PRAGMA temp_store = memory; SELECT 1\n[unrelated]\nkey = value\n",
        test_dir_url(&x->dir, "a.db"), pool_size, test_dir_url(&x->dir, "b.db"));
    (void)test_dir_write(&x->dir, "app.ini", x->ini);
}
TEST_HELPER void stage_close(stage *x) { test_dir_remove(&x->dir); }

static void stage_files_gone(stage *x) {
    static const char *const names[] = { "a.db", "a.db-wal", "a.db-shm", "b.db", "b.db-journal" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) (void)unlink(test_dir_file(&x->dir, names[i]));
}
static int64_t stage_number(stage *x, const char *sql, int unit) {
    sqlite3_stmt *stmt = NULL;
    int64_t n = 0;
    if (sqlite3_prepare_v2(x->raw, sql, -1, &stmt, NULL) != SQLITE_OK) return 0; /* no such table yet */
    if (sqlite3_bind_parameter_count(stmt) == 1) sqlite3_bind_int(stmt, 1, unit);
    WANT(x, sqlite3_step(stmt) == SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}
static void stage_look(stage *x, int scene, dbm_status st) {
    static const char *const names[] = { "default", "other", "memory" };
    struct stat file;
    if (x->pause != NULL) x->pause(true);
    if (x->raw == NULL && stat(test_dir_file(&x->dir, "a.db"), &file) == 0 && file.st_size > 0) {
        WANT(x, sqlite3_open(test_dir_file(&x->dir, "a.db"), &x->raw) == SQLITE_OK);
        WANT(x, sqlite3_exec(x->raw, "PRAGMA synchronous = off", NULL, NULL, NULL) == SQLITE_OK);
    }
    if (x->raw != NULL) {
        if (scenes[scene].unit != 0) {
            int64_t n = stage_number(x, "SELECT count(*) FROM parts WHERE unit = ?", scenes[scene].unit);
            WANT(x, n == (st == DBM_OK ? scenes[scene].parts : 0));
        }
        if (scene >= SCENE_SESSIONS) { /* nobody writes, nobody reads */
            WANT(x, sqlite3_exec(x->raw, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
            WANT(x, stage_number(x, "PRAGMA wal_checkpoint(TRUNCATE)", 0) == 0);
        }
    }
    for (size_t i = 0; x->mgr != NULL && i < sizeof names / sizeof names[0]; i++) {
        dbm_database *db = NULL;
        dbm_stats_info stats;
        if (scene >= SCENE_SESSIONS - 2 && scene < SCENES - 2) db = dbm_get(x->mgr, names[i]);
        if (db == NULL) continue;
        WANT(x, dbm_stats(db, &stats) == DBM_OK);
        WANT(x, stats.out == 0 && stats.idle == stats.open && stats.connecting == 0 && stats.waiting == 0);
        WANT(x, stats.stale_handles == 0 && stats.in_doubt == 0 && stats.leaks == 0);
    }
    if (x->pause != NULL) x->pause(false);
}

/* No memory, or what follows from it: a second connection is waited for while the first one lives, and then the cause is in the message;
 * where faults last, databases may not be loaded and tables not be made. */
static bool stage_may_fail(const stage *x, int scene, dbm_status st) {
    const dbm_error_info *e = dbm_last_error();
    if (st == DBM_E_NOMEM) return true;
    if (scenes[scene].two && st == DBM_E_POOL_TIMEOUT) return strstr(e->message, "out of memory") != NULL;
    return x->lasting && (st == DBM_E_UNKNOWN_NAME || (st == DBM_E_SQL && strcmp(e->sqlstate, "42P01") == 0));
}

/* Scenes from..to-1. What fails is no memory, and was told to. */
static void stage_play_some(stage *x, int from, int to) {
    for (int i = from; i < to; i++) {
        long before = x->faults();
        dbm_status st;
        if (scenes[i].two && x->pool_size < 2) continue;
        x->scene = scenes[i].name;
        st = scenes[i].play(x);
        stage_now += 1000000; /* past the wait after a failed connect */
        x->played++;
        if (!x->lasting && x->faults() != before && st == DBM_OK) x->spared++;
        if (st != DBM_OK) {
            x->failed++;
            WANT(x, stage_may_fail(x, i, st));
            if (!x->lasting) WANT(x, x->faults() > before);
            WANT(x, dbm_last_error()->message[0] != '\0');
        }
        stage_look(x, i, st);
        if (st != DBM_OK && !x->lasting) {
            x->stop();
            st = scenes[i].play(x);
            if (st != DBM_OK) fprintf(stderr, "once more: %s\n", dbm_status_name(st));
            WANT(x, st == DBM_OK);
            stage_now += 1000000;
            stage_look(x, i, st);
        }
    }
}
/* The whole life, on new files. */
TEST_HELPER void stage_play(stage *x) {
    stage_files_gone(x);
    x->played = x->failed = 0;
    stage_play_some(x, 0, SCENES);
    WANT(x, x->mgr == NULL);
    if (x->pause != NULL) x->pause(true);
    sqlite3_close(x->raw);
    x->raw = NULL;
    if (x->pause != NULL) x->pause(false);
}

#endif /* DBM_TEST_SCENES_H */
