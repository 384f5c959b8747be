/* What a session promises, on a real SQLite file: every way to leave every form of block, what is kept and what is said about it,
 * failures that stick, savepoints, nesting, retry, cancel, deadlines, calls on a database, sessions by hand, prepared statements.
 * What is in the file is looked at through a connection of the test's own. What a file can't be made to do (connections that die, commits
 * that are lost or refused) a scripted server does, at the end. */
#include "scripted.h" /* and dbm_test.h, first */
#include <sqlite3.h>

static test_dir dir;
static test_log logged;
static test_heap heap;
static dbm_manager *mgr;
static dbm_database *db, *alone, *single;
static sqlite3 *raw;

#define LONG_QUERY "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 2000000000) SELECT count(*) FROM c"
#define NO_TABLE "INSERT INTO nowhere VALUES (1)"

/* ---- the fixture ------------------------------------------------------------------------------------------------------- */

static void raw_run(const char *sql) {
    char *said = NULL;
    if (sqlite3_exec(raw, sql, NULL, NULL, &said) != SQLITE_OK) fail_msg("%s: %s", sql, said);
}

static int64_t raw_number(const char *sql) {
    sqlite3_stmt *stmt = NULL;
    int64_t n;
    assert_int_equal(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return n;
}

static int64_t rows_kept(void) { return raw_number("SELECT count(*) FROM t"); }

/* Nothing is out, and nobody has a transaction or a query open on the file. */
static void assert_idle(void) {
    dbm_database *all[3];
    all[0] = db;
    all[1] = alone;
    all[2] = single;
    for (int i = 0; i < 3; i++) {
        dbm_stats_info s = stats_of(all[i]);
        assert_int_equal(s.out, 0);
        assert_int_equal(s.idle, s.open);
        assert_int_equal(s.waiting, 0);
    }
    assert_int_equal(raw_number("PRAGMA wal_checkpoint(TRUNCATE)"), 0); /* 1: a reader was in the way */
    raw_run("BEGIN IMMEDIATE; ROLLBACK");
}

static dbm_config config_of(const char *name) {
    dbm_config c;
    static const dbm_option fast[] = { { "synchronous", "off" } };
    memset(&c, 0, sizeof c);
    c.name = name;
    c.url = test_dir_url(&dir, "app.db");
    c.pool.size = 2;
    c.pool.max_overflow = -1;
    c.pool.timeout_ms = 3000;
    c.options = fast;
    c.option_count = 1;
    return c;
}

static int open_all(void **state) {
    dbm_options options;
    dbm_config c;
    (void)state;
    test_dir_make(&dir);
    test_log_clear(&logged);
    memset(&heap, 0, sizeof heap);
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    options.log = test_log_hook;
    options.log_ud = &logged;
    options.no_env = true;
    options.grace_ms = -1;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    c = config_of(NULL);
    assert_int_equal(dbm_add_database(mgr, &c), DBM_OK);
    c = config_of("alone"); /* the same file without transactions */
    c.isolation = DBM_AUTOCOMMIT;
    assert_int_equal(dbm_add_database(mgr, &c), DBM_OK);
    c = config_of("single"); /* one connection, which nobody waits for long */
    c.pool.size = 1;
    c.pool.timeout_ms = 20;
    assert_int_equal(dbm_add_database(mgr, &c), DBM_OK);
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
    db = dbm_get(mgr, NULL);
    alone = dbm_get(mgr, "alone");
    single = dbm_get(mgr, "single");
    assert_true(db != NULL && alone != NULL && single != NULL);
    assert_int_equal(sqlite3_open(test_dir_file(&dir, "app.db"), &raw), SQLITE_OK);
    sqlite3_busy_timeout(raw, 5000);
    raw_run("PRAGMA synchronous = off");
    raw_run("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b TEXT);"
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);"
            "CREATE TABLE child (p INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)");
    dbm_session_failed(NULL);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    assert_idle();
    sqlite3_close(raw);
    raw = NULL;
    assert_int_equal(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    assert_int_equal(test_heap_live(&heap), 0);
    return 0;
}

static void assert_says(const char *text, const char *part) {
    if (strstr(text, part) == NULL) fail_msg("'%s' is without '%s'", text, part);
}
static void assert_last(dbm_status status, const char *part) {
    assert_int_equal(dbm_last_error()->status, status);
    assert_says(dbm_last_error()->message, part);
}

static dbm_status put(dbm_session *s, int a) { return dbm_exec(s, "INSERT INTO t (a) VALUES (?)", a); }

static int64_t now_ms(void) { return real_us() / 1000; }
static void sleep_ms(int ms) { pause_us(ms * 1000L); }

/* ---- the table: every form, every way out, every content ------------------------------------------------------------------- */

typedef enum way { END, CONTINUE, BREAK, RETURN, GOTO, WAYS } way;
typedef enum content {
    NOTHING, READ, WRITE, FAILS, COMMIT, COMMIT_WRITE, COMMIT_READ, COMMIT_FAIL, ROLLBACK, ROLLBACK_WRITE, FAIL_ROLLBACK_WRITE, FAIL_COMMIT,
    BAD_COMMIT, ASKED_BAD_COMMIT, CONTENTS
} content;
typedef enum kind { IN_BLOCK, AUTO, HAND } kind;
typedef struct one { way how; content what; bool autocommit; dbm_status rc; int runs, after; bool preset; } one;

static void read_one(dbm_session *s) {
    dbm_row *row;
    assert_int_equal(dbm_query_one(s, &row, "SELECT count(*) FROM t"), DBM_OK);
    (void)dbm_row_int(row, 0);
}

static void fail_one(dbm_session *s) {
    uint64_t sent;
    assert_int_equal(dbm_exec(s, NO_TABLE), DBM_E_SQL);
    sent = stats_of(dbm_session_database(s)).statements;
    assert_int_equal(put(s, 9), DBM_E_SQL); /* is not sent, and says the same */
    assert_says(dbm_last_error()->message, "nowhere");
    assert_int_equal(stats_of(dbm_session_database(s)).statements, sent);
    assert_int_equal(dbm_status_of(s), DBM_E_SQL);
}

static void bad_child(dbm_session *s) { assert_int_equal(dbm_exec(s, "INSERT INTO child VALUES (77)"), DBM_OK); }

/* Runs the content. Its own statements' statuses are checked here. */
static void fill(dbm_session *s, const one *c) {
    assert_non_null(s);
    assert_int_equal(dbm_status_of(s), DBM_OK);
    switch (c->what) {
    case NOTHING: break;
    case READ: read_one(s); break;
    case WRITE: assert_int_equal(put(s, 1), DBM_OK); break;
    case FAILS: assert_int_equal(put(s, 1), DBM_OK); fail_one(s); break;
    case COMMIT: assert_int_equal(put(s, 1), DBM_OK); assert_int_equal(dbm_commit(s), DBM_OK); break;
    case COMMIT_WRITE:
        assert_int_equal(put(s, 1), DBM_OK);
        assert_int_equal(dbm_commit(s), DBM_OK);
        assert_int_equal(put(s, 2), DBM_OK);
        break;
    case COMMIT_READ: assert_int_equal(put(s, 1), DBM_OK); assert_int_equal(dbm_commit(s), DBM_OK); read_one(s); break;
    case COMMIT_FAIL: assert_int_equal(put(s, 1), DBM_OK); assert_int_equal(dbm_commit(s), DBM_OK); fail_one(s); break;
    case ROLLBACK: assert_int_equal(put(s, 1), DBM_OK); assert_int_equal(dbm_rollback(s), DBM_OK); break;
    case ROLLBACK_WRITE:
        assert_int_equal(put(s, 1), DBM_OK);
        assert_int_equal(dbm_rollback(s), DBM_OK);
        assert_int_equal(put(s, 2), DBM_OK);
        break;
    case FAIL_ROLLBACK_WRITE:
        assert_int_equal(put(s, 1), DBM_OK);
        fail_one(s);
        assert_int_equal(dbm_rollback(s), DBM_OK);
        assert_int_equal(dbm_status_of(s), DBM_OK);
        assert_int_equal(put(s, 2), DBM_OK);
        break;
    case FAIL_COMMIT: assert_int_equal(put(s, 1), DBM_OK); fail_one(s); assert_int_equal(dbm_commit(s), DBM_E_SQL); break;
    case BAD_COMMIT: assert_int_equal(put(s, 1), DBM_OK); bad_child(s); break;
    case ASKED_BAD_COMMIT:
        assert_int_equal(put(s, 1), DBM_OK);
        bad_child(s);
        assert_int_equal(dbm_commit(s), DBM_E_CONSTRAINT);
        assert_int_equal(dbm_last_error()->stage, DBM_STAGE_COMMIT);
        assert_int_equal(put(s, 2), DBM_E_CONSTRAINT);
        break;
    case CONTENTS: break;
    }
}

/* What the table says. */
typedef struct expected { dbm_status rc; int kept; bool left_early; } expected;

static expected expect(const one *c, kind k) {
    bool early = c->how != END && c->how != CONTINUE;
    expected e = { DBM_OK, 0, false };
    if (k != IN_BLOCK) early = true; /* they commit by dbm_commit alone */
    if (c->autocommit) { /* each call stands alone */
        switch (c->what) {
        case NOTHING: case READ: break;
        case WRITE: case COMMIT: case COMMIT_READ: case ROLLBACK: e.kept = 1; break;
        case COMMIT_WRITE: case ROLLBACK_WRITE: case FAIL_ROLLBACK_WRITE: e.kept = 2; break;
        case FAILS: case COMMIT_FAIL: case FAIL_COMMIT: e.rc = DBM_E_SQL; e.kept = 1; break;
        case BAD_COMMIT: case ASKED_BAD_COMMIT: case CONTENTS: break;
        }
        return e;
    }
    switch (c->what) {
    case NOTHING: case READ:
        if (early) e.rc = DBM_ROLLED_BACK;
        if (k == HAND) e.rc = DBM_OK; /* dbm_session_end: nothing was written */
        break;
    case WRITE: case ROLLBACK_WRITE: case FAIL_ROLLBACK_WRITE:
        e.rc = early ? DBM_E_LEFT_EARLY : DBM_OK;
        e.kept = early ? 0 : 1;
        e.left_early = early;
        break;
    case FAILS: case FAIL_COMMIT: e.rc = DBM_E_SQL; break;
    case COMMIT: case COMMIT_READ: e.kept = 1; break;
    case COMMIT_WRITE:
        e.rc = early ? DBM_E_LEFT_EARLY : DBM_OK;
        e.kept = early ? 1 : 2;
        e.left_early = early;
        break;
    case COMMIT_FAIL: e.rc = DBM_E_SQL; e.kept = 1; break;
    case ROLLBACK: e.rc = k == HAND ? DBM_OK : DBM_ROLLED_BACK; break;
    case BAD_COMMIT:
        e.rc = early ? DBM_E_LEFT_EARLY : DBM_E_CONSTRAINT;
        e.left_early = early;
        break;
    case ASKED_BAD_COMMIT: e.rc = DBM_E_CONSTRAINT; break;
    case CONTENTS: break;
    }
    return e;
}

#define LEAVE(c) \
    if ((c)->how == CONTINUE) continue; \
    if ((c)->how == BREAK) break; \
    if ((c)->how == RETURN) return; \
    if ((c)->how == GOTO) goto out
#define FORM(name, head) \
    static void form_##name(one *c) { \
        head { \
            c->runs++; \
            c->preset = c->rc == DBM_ROLLED_BACK; \
            fill(s, c); \
            LEAVE(c); \
        } \
    out: \
        c->after++; \
    }
FORM(session, DBM_SESSION(mgr, "default", s))
FORM(no_name, DBM_SESSION(mgr, NULL, s))
FORM(on, DBM_SESSION_ON(db, s))
FORM(rc, DBM_SESSION_RC(mgr, "", s, &c->rc))
FORM(opt, DBM_SESSION_OPT(mgr, "default", s, .status = &c->rc, .timeout_ms = 60000))
FORM(retry, DBM_RETRY(mgr, "default", s, 3))
FORM(opt_auto, DBM_SESSION_OPT(mgr, "default", s, .autocommit = true, .status = &c->rc))
FORM(level_auto, DBM_SESSION_OPT(mgr, "default", s, .isolation = DBM_AUTOCOMMIT, .status = &c->rc))
FORM(config_auto, DBM_SESSION_RC(mgr, "alone", s, &c->rc))
FORM(config_auto_on, DBM_SESSION_ON(alone, s))

static void form_with(one *c) {
    dbm_session_options options;
    memset(&options, 0, sizeof options);
    options.status = &c->rc;
    options.isolation = DBM_SERIALIZABLE;
    options.write = true;
    DBM_SESSION_WITH(mgr, "default", s, &options) {
        c->runs++;
        c->preset = c->rc == DBM_ROLLED_BACK;
        fill(s, c);
        LEAVE(c);
    }
out:
    c->after++;
}

static void form_with_nothing(one *c) {
    DBM_SESSION_WITH(mgr, NULL, s, NULL) {
        c->runs++;
        fill(s, c);
        LEAVE(c);
    }
out:
    c->after++;
}

static void form_auto(one *c) {
    for (int i = 0; i < 1; i++) {
        DBM_AUTO_SESSION(mgr, "default", s, &c->rc);
        c->runs++;
        c->preset = c->rc == DBM_ROLLED_BACK;
        fill(s, c);
        LEAVE(c);
    }
out:
    c->after++;
}

static void by_hand(one *c, dbm_database *d, const dbm_session_options *options) {
    dbm_session s;
    assert_int_equal(dbm_session_begin(d, options, &s), DBM_OK);
    c->runs++;
    c->preset = true;
    fill(&s, c);
    c->rc = dbm_session_end(&s);
    assert_int_equal(dbm_session_end(&s), DBM_OK);
    c->after++;
}
static void form_hand(one *c) { by_hand(c, db, NULL); }
static void form_hand_auto(one *c) {
    dbm_session_options options;
    dbm_status rc = (dbm_status)77;
    memset(&options, 0, sizeof options);
    options.autocommit = true;
    options.status = &rc;
    by_hand(c, db, &options);
    assert_int_equal(rc, c->rc);
}

typedef struct form { const char *name; void (*run)(one *c); kind k; bool has_rc, autocommit; } form;
static const form forms[] = {
    { "DBM_SESSION", form_session, IN_BLOCK, false, false },
    { "DBM_SESSION without a name", form_no_name, IN_BLOCK, false, false },
    { "DBM_SESSION_ON", form_on, IN_BLOCK, false, false },
    { "DBM_SESSION_RC", form_rc, IN_BLOCK, true, false },
    { "DBM_SESSION_OPT", form_opt, IN_BLOCK, true, false },
    { "DBM_SESSION_WITH", form_with, IN_BLOCK, true, false },
    { "DBM_SESSION_WITH NULL", form_with_nothing, IN_BLOCK, false, false },
    { "DBM_RETRY", form_retry, IN_BLOCK, false, false },
    { "DBM_AUTO_SESSION", form_auto, AUTO, true, false },
    { "by hand", form_hand, HAND, true, false },
    { ".autocommit", form_opt_auto, IN_BLOCK, true, true },
    { ".isolation = DBM_AUTOCOMMIT", form_level_auto, IN_BLOCK, true, true },
    { "a database in autocommit", form_config_auto, IN_BLOCK, true, true },
    { "a database in autocommit, by handle", form_config_auto_on, IN_BLOCK, false, true },
    { "by hand, .autocommit", form_hand_auto, HAND, true, true },
};

static void check_one(const form *f, way how, content what) {
    one c = { how, what, f->autocommit, (dbm_status)77, 0, 0, false };
    expected e = expect(&c, f->k);
    dbm_error_info err;
    uint64_t left_before = stats_of(db).left_early, checkouts = stats_of(db).checkouts + stats_of(alone).checkouts;
    bool failed, should_fail;
    if (f->autocommit && (what == BAD_COMMIT || what == ASKED_BAD_COMMIT)) return; /* there is no commit to fail */
    test_log_clear(&logged);
    f->run(&c);
    failed = dbm_session_failed(&err);
    should_fail = f->k != HAND && e.rc != DBM_OK && e.rc != DBM_ROLLED_BACK;
#define HOLDS(cond) if (!(cond)) fail_msg("%s, way %d, content %d: not %s (rc %d, kept %d)", f->name, (int)how, (int)what, #cond, (int)c.rc, (int)rows_kept())
    HOLDS(c.runs == 1);
    HOLDS(c.after == (how == RETURN && f->k != HAND ? 0 : 1));
    HOLDS(!f->has_rc || c.preset);
    HOLDS(!f->has_rc || c.rc == e.rc);
    HOLDS(f->has_rc || c.rc == (dbm_status)77);
    HOLDS(rows_kept() == e.kept);
    HOLDS(raw_number("SELECT count(*) FROM child") == 0);
    HOLDS(failed == should_fail);
    HOLDS(!failed || err.status == e.rc);
    HOLDS(!failed || (strstr(err.site, "test_session.c:") != NULL && err.message[0] != 0 && strcmp(err.database, f->run == form_config_auto || f->run == form_config_auto_on ? "alone" : "default") == 0));
    HOLDS(!dbm_session_failed(&err));
    HOLDS(stats_of(db).left_early - left_before == (e.left_early ? 1 : 0));
    HOLDS(test_log_count(&logged, DBM_EVENT_LEFT_EARLY) == (e.left_early && f->k == IN_BLOCK ? 1 : 0));
    HOLDS(logged.levels[DBM_LOG_WARNING] == test_log_count(&logged, DBM_EVENT_LEFT_EARLY));
    HOLDS(test_log_count(&logged, DBM_EVENT_LEFT_EARLY) == 0 || strstr(test_log_text(&logged), "test_session.c:") != NULL);
    HOLDS(stats_of(db).checkouts + stats_of(alone).checkouts == checkouts + 1);
#undef HOLDS
    assert_idle();
    raw_run("DELETE FROM t");
}

static void every_way_out_of_every_form(void **state) {
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        for (way how = END; how < WAYS; how++) {
            for (content what = NOTHING; what < CONTENTS; what++) check_one(&forms[f], how, what);
        }
    }
}

static void a_rollback_that_was_asked_for(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    /* What was asked for: a rollback after a failure is a rollback; the connection serves the next one. */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        dbm_exec(s, NO_TABLE);
        assert_int_equal(dbm_rollback(s), DBM_OK);
    }
    assert_int_equal(rc, DBM_ROLLED_BACK);
    assert_false(dbm_session_failed(NULL));
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) put(s, 1);
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows_kept(), 1);
}

static void left_early_names_the_block(void **state) {
    char place[64];
    dbm_error_info err;
    (void)state;
    test_log_clear(&logged);
    snprintf(place, sizeof place, "test_session.c:%d", __LINE__ + 1);
    DBM_SESSION(mgr, NULL, s) {
        put(s, 1);
        break;
    }
    assert_true(dbm_session_failed(&err));
    assert_int_equal(err.status, DBM_E_LEFT_EARLY);
    assert_says(err.site, place);
    assert_says(err.message, place);
    assert_says(err.message, "dbm_commit");
    assert_says(test_log_text(&logged), place);
    assert_int_equal(logged.levels[DBM_LOG_WARNING], 1);
}

/* ---- checkout that fails --------------------------------------------------------------------------------------------------- */

static void no_checkout_no_body(void **state) {
    dbm_session hold;
    dbm_session_options options;
    dbm_error_info err;
    dbm_status rc;
    int ran = 0, failed = 0;
    (void)state;
    assert_int_equal(dbm_session_begin(single, NULL, &hold), DBM_OK);
#define REFUSED(head, status_, has_rc) \
    do { \
        rc = (dbm_status)77; \
        failed = 0; \
        head { (void)s; ran++; } \
        assert_int_equal(ran, 0); \
        if (has_rc) assert_int_equal(rc, status_); \
        DBM_FAILED(e) { \
            failed++; \
            assert_int_equal(e->status, status_); \
            assert_says(e->site, "test_session.c:"); \
        } \
        assert_int_equal(failed, 1); \
        assert_false(dbm_session_failed(&err)); \
    } while (0)
    memset(&options, 0, sizeof options);
    options.status = &rc;
    REFUSED(DBM_SESSION(mgr, "single", s), DBM_E_POOL_TIMEOUT, false);
    REFUSED(DBM_SESSION_ON(single, s), DBM_E_POOL_TIMEOUT, false);
    REFUSED(DBM_SESSION_RC(mgr, "single", s, &rc), DBM_E_POOL_TIMEOUT, true);
    REFUSED(DBM_SESSION_OPT(mgr, "single", s, .status = &rc), DBM_E_POOL_TIMEOUT, true);
    REFUSED(DBM_SESSION_WITH(mgr, "single", s, &options), DBM_E_POOL_TIMEOUT, true);
    REFUSED(DBM_SESSION_OPT(mgr, "single", s, .status = &rc, .timeout_ms = 2), DBM_E_TIMEOUT, true);
    REFUSED(DBM_RETRY(mgr, "single", s, 2), DBM_E_POOL_TIMEOUT, false);
    assert_int_equal(stats_of(single).retries, 1);
    REFUSED(DBM_SESSION(mgr, "nobody", s), DBM_E_UNKNOWN_NAME, false);
    REFUSED(DBM_SESSION_RC(mgr, "nobody", s, &rc), DBM_E_UNKNOWN_NAME, true);
    REFUSED(DBM_SESSION_OPT(mgr, "nobody", s, .status = &rc), DBM_E_UNKNOWN_NAME, true);
    REFUSED(DBM_RETRY(mgr, "nobody", s, 5), DBM_E_UNKNOWN_NAME, false);
#undef REFUSED
    assert_says(dbm_last_error()->message, "single"); /* the names that there are */
    {
        DBM_AUTO_SESSION(mgr, "single", s, &rc);
        assert_int_equal(rc, DBM_E_POOL_TIMEOUT);
        assert_int_equal(put(s, 1), DBM_E_POOL_TIMEOUT);
        assert_int_equal(dbm_commit(s), DBM_E_POOL_TIMEOUT);
        assert_int_equal(dbm_status_of(s), DBM_E_POOL_TIMEOUT);
        rc = DBM_OK;
    }
    assert_int_equal(rc, DBM_OK); /* it had ended before it began */
    {
        dbm_session s;
        assert_int_equal(dbm_session_begin(single, NULL, &s), DBM_E_POOL_TIMEOUT);
        assert_int_equal(put(&s, 1), DBM_E_POOL_TIMEOUT);
        assert_int_equal(dbm_rollback(&s), DBM_E_POOL_TIMEOUT);
        assert_int_equal(dbm_session_end(&s), DBM_OK);
    }
    assert_int_equal(dbm_exec(single, "SELECT 1"), DBM_E_POOL_TIMEOUT);
    assert_int_equal(dbm_session_end(&hold), DBM_OK);
    assert_int_equal(dbm_exec(single, "SELECT 1"), DBM_OK);
    DBM_SESSION_RC(NULL, NULL, s, &rc) { (void)s; ran++; }
    assert_true(rc != DBM_OK && rc != DBM_ROLLED_BACK);
    DBM_SESSION_ON(NULL, s) { (void)s; ran++; }
    assert_true(dbm_session_failed(&err));
    assert_int_equal(ran, 0);
    assert_int_equal(rows_kept(), 0);
}

/* ---- DBM_FAILED ------------------------------------------------------------------------------------------------------------- */

static void failed_is_a_loop_and_reading_clears(void **state) {
    dbm_error_info err;
    int count = 0, after = 0;
    (void)state;
    for (int i = 0; i < 3; i++) {
        DBM_SESSION(mgr, NULL, s) dbm_exec(s, NO_TABLE);
        DBM_FAILED(e) {
            count++;
            if (i == 0) continue; /* of DBM_FAILED, not of the for */
            if (i == 1) break;
            assert_int_equal(e->status, DBM_E_SQL);
        }
        after++;
    }
    assert_int_equal(count, 3);
    assert_int_equal(after, 3);
    DBM_FAILED(e) fail_msg("read twice: %s", e->message);
    assert_false(dbm_session_failed(NULL));

    DBM_SESSION(mgr, NULL, s) dbm_exec(s, NO_TABLE);
    assert_true(dbm_session_failed(NULL)); /* NULL reads too */
    assert_false(dbm_session_failed(&err));

    /* Each outermost begin clears; a good one too. */
    DBM_SESSION(mgr, NULL, s) dbm_exec(s, NO_TABLE);
    DBM_SESSION(mgr, NULL, s) {
        assert_false(dbm_session_failed(NULL));
        (void)s;
    }
    assert_false(dbm_session_failed(NULL));

    /* Sessions by hand and calls on a database say what they have to say by themselves. */
    DBM_SESSION(mgr, NULL, s) dbm_exec(s, NO_TABLE);
    assert_int_equal(dbm_exec(db, "SELECT nothing"), DBM_E_SQL);
    {
        dbm_session h;
        assert_int_equal(dbm_session_begin(db, NULL, &h), DBM_OK);
        dbm_exec(&h, "SELECT nothing");
        dbm_session_end(&h);
    }
    assert_true(dbm_session_failed(&err));
    assert_says(err.message, "nowhere");

    /* The copy stays what it was. */
    DBM_SESSION(mgr, NULL, s) dbm_exec(s, NO_TABLE);
    DBM_FAILED(e) {
        DBM_SESSION(mgr, NULL, s2) {
            dbm_exec(s2, "SELECT other_thing");
            assert_says(dbm_last_error()->message, "other_thing");
        }
        assert_says(e->message, "nowhere");
    }
    DBM_FAILED(e) assert_says(e->message, "other_thing"); /* the block inside was the last one */

    /* In a caller's loop. */
    count = 0;
    for (int i = 0; i < 4; i++) {
        DBM_SESSION(mgr, NULL, s) { if (i & 1) dbm_exec(s, NO_TABLE); }
        if (dbm_session_failed(&err)) {
            if (i == 1) continue;
            break;
        }
        count++;
    }
    assert_int_equal(count, 2);
}

static void *failing_thread(void *ud) {
    (void)ud;
    DBM_SESSION(mgr, NULL, s) dbm_exec(s, NO_TABLE);
    return dbm_session_failed(NULL) ? &heap : NULL;
}
static void failed_belongs_to_the_thread(void **state) {
    pthread_t thread;
    void *said = NULL;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, failing_thread, NULL), 0);
    pthread_join(thread, &said);
    assert_ptr_equal(said, &heap);
    assert_false(dbm_session_failed(NULL));
}

/* ---- blocks in every position --------------------------------------------------------------------------------------------- */

static int positions(int n) {
    int runs = 0;
    if (n == 0)
        DBM_SESSION(mgr, NULL, s) runs += put(s, 1) == DBM_OK;
    else if (n == 1)
        DBM_SESSION_ON(db, s) { runs += put(s, 1) == DBM_OK; runs += put(s, 2) == DBM_OK; }
    else
        DBM_SESSION(mgr, NULL, s)
            DBM_SAVEPOINT(s)
                runs += put(s, 1) == DBM_OK;
    if (n == 3) DBM_FAILED(e) runs += e->status != DBM_OK; else runs += 100;
    return runs;
}

static void blocks_stand_anywhere(void **state) {
    int n = 0;
    (void)state;
    assert_int_equal(positions(0), 101);
    assert_int_equal(positions(1), 102);
    assert_int_equal(positions(2), 101);
    assert_int_equal(positions(3), 1);
    assert_int_equal(rows_kept(), 5);
    DBM_SESSION(mgr, NULL, a) DBM_SESSION(mgr, "single", b) { n += dbm_session_database(a) == db; n += dbm_session_database(b) == single; }
    assert_int_equal(n, 2);
    DBM_SESSION(mgr, NULL, a) { (void)a; n++; } DBM_SESSION(mgr, NULL, b) { (void)b; n++; }
    DBM_SESSION(mgr, NULL, s) { DBM_SAVEPOINT(s) n++; DBM_SAVEPOINT(s) DBM_SAVEPOINT(s) n++; }
    assert_int_equal(n, 6);
    for (int i = 0; i < 100; i++) DBM_SESSION(mgr, NULL, s) { if (i % 2) continue; put(s, i); }
    assert_int_equal(rows_kept(), 55);
    /* The rows of the outer loop are evaluated before the inner name exists. */
    DBM_SESSION(mgr, NULL, s) {
        n = 0;
        DBM_EACH(s, outer, "SELECT id, a FROM t ORDER BY id LIMIT 3") {
            DBM_EACH(s, inner, "SELECT ? + 1", dbm_row_int(outer, 0)) n += (int)dbm_row_int(inner, 0);
        }
    }
    assert_int_equal(n, 2 + 3 + 4);
}

/* ---- failures that stick ----------------------------------------------------------------------------------------------------- */

static void later_statements_say_the_same(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_rows *rows = (dbm_rows *)1;
        dbm_row *row = (dbm_row *)1;
        dbm_statement *st = (dbm_statement *)1;
        uint64_t sent;
        int loops = 0;
        put(s, 1);
        assert_int_equal(dbm_exec(s, NO_TABLE), DBM_E_SQL);
        sent = stats_of(db).statements;
        assert_int_equal(dbm_exec(s, "SELECT 1"), DBM_E_SQL);
        assert_int_equal(dbm_send(s, "SELECT 1"), DBM_E_SQL);
        assert_int_equal(dbm_query(s, &rows, "SELECT 1"), DBM_E_SQL);
        assert_null(rows);
        assert_int_equal(dbm_query_one(s, &row, "SELECT 1"), DBM_E_SQL);
        assert_null(row);
        assert_int_equal(dbm_execv(s, "SELECT 1", NULL, 0), DBM_E_SQL);
        assert_int_equal(dbm_script(s, "SELECT 1"), DBM_E_SQL);
        assert_int_equal(dbm_prepare(s, "SELECT 1", &st), DBM_E_SQL);
        assert_null(st);
        assert_null(dbm_native(s, "sqlite"));
        DBM_EACH(s, r, "SELECT 1") { (void)r; loops++; }
        assert_int_equal(loops, 0);
        DBM_SAVEPOINT(s) loops++;
        assert_int_equal(loops, 0);
        assert_int_equal(dbm_exec(db, "SELECT 1"), DBM_E_SQL); /* joins the block */
        assert_last(DBM_E_SQL, "nowhere");
        assert_int_equal(stats_of(db).statements, sent);
        assert_int_equal(dbm_commit(s), DBM_E_SQL);
        assert_last(DBM_E_SQL, "nowhere");
    }
    assert_int_equal(rc, DBM_E_SQL);
    DBM_FAILED(e) assert_says(e->message, "nowhere");
    assert_int_equal(rows_kept(), 0);
}

static void the_first_failure_is_kept(void **state) {
    char place[64];
    dbm_error_info err;
    (void)state;
    DBM_SESSION(mgr, NULL, s) {
        dbm_row *row;
        assert_int_equal(dbm_query_one(s, &row, "SELECT NULL"), DBM_OK);
        snprintf(place, sizeof place, "test_session.c:%d", __LINE__ - 1);
        assert_int_equal(dbm_row_int(row, 0), 0);
        assert_int_equal(dbm_exec(s, NO_TABLE), DBM_E_RANGE);
    }
    assert_true(dbm_session_failed(&err));
    assert_int_equal(err.status, DBM_E_RANGE);
    assert_says(err.site, place);
    assert_int_equal(err.stage, DBM_STAGE_ROW);
}

static void getters_and_scans_stick(void **state) {
    (void)state;
#define STICKS(sql, statement, status_, said) \
    do { \
        dbm_status rc_; \
        DBM_SESSION_RC(mgr, NULL, s, &rc_) { \
            put(s, 1); \
            DBM_EACH(s, row, sql) { \
                assert_int_equal(dbm_status_of(s), DBM_OK); \
                statement; \
                assert_int_equal(dbm_status_of(s), status_); \
                assert_last(status_, said); \
            } \
            assert_int_equal(put(s, 2), status_); \
        } \
        assert_int_equal(rc_, status_); \
        assert_int_equal(rows_kept(), 0); \
    } while (0)
    const char *t = NULL;
    int8_t small = 7;
    uint32_t word = 7;
    int32_t a = 7, b = 7;
    double d = 7;
    bool yes = true;
    char buffer[4] = "abc";
    STICKS("SELECT 1 AS one, NULL AS age", assert_int_equal(dbm_row_int(row, 1), 0), DBM_E_RANGE, "column 1 (age) of row 1");
    STICKS("SELECT 1 AS one, NULL AS age UNION ALL SELECT 2, 3", assert_true(dbm_row_double(row, 1) == 0.0), DBM_E_RANGE, "column 1 (age)");
    STICKS("SELECT -1 AS n", assert_int_equal(dbm_row_uint(row, 0), 0), DBM_E_RANGE, "column 0 (n)");
    STICKS("SELECT 'x' AS n", assert_int_equal(dbm_row_int(row, 0), 0), DBM_E_RANGE, "column 0 (n)");
    STICKS("SELECT 1.5 AS n", assert_int_equal(dbm_row_int(row, 0), 0), DBM_E_RANGE, "column 0 (n)");
    STICKS("SELECT 2 AS n", assert_false(dbm_row_bool(row, 0)), DBM_E_RANGE, "column 0 (n)");
    STICKS("SELECT 'soon' AS n", assert_int_equal(dbm_row_timestamp(row, 0), 0), DBM_E_RANGE, "column 0 (n)");
    STICKS("SELECT 1", assert_int_equal(dbm_row_int(row, 1), 0), DBM_E_RANGE, "no column 1");
    /* Of several failures the first is told, not the one that followed from it. */
    STICKS("SELECT NULL AS x, 'long text' AS y", assert_int_equal(dbm_scan(row, &a, &buffer), DBM_E_RANGE), DBM_E_RANGE, "column 0 (x) of row 1");
    STICKS("SELECT 1 AS one", assert_int_equal(dbm_row_int(row, dbm_row_index(row, "two")), 0), DBM_E_UNKNOWN_NAME, "there is no column 'two'; there are one");
    STICKS("SELECT 1", assert_int_equal(dbm_row_int(row, -1), 0), DBM_E_RANGE, "no column -1");
    STICKS("SELECT 1 AS one, 2 AS two", assert_int_equal(dbm_row_index(row, "three"), -1), DBM_E_UNKNOWN_NAME, "one, two");
    STICKS("SELECT 300 AS n", assert_int_equal(dbm_scan(row, &small), DBM_E_RANGE), DBM_E_RANGE, "column 0 (n)");
    assert_int_equal(small, 0);
    STICKS("SELECT 4294967296 AS n", assert_int_equal(dbm_scan(row, &word), DBM_E_RANGE), DBM_E_RANGE, "column 0 (n)");
    assert_int_equal(word, 0);
    STICKS("SELECT 1, NULL AS n, 3, 'text', 1.5, 1", assert_int_equal(dbm_scan(row, &a, &b, &small, &t, &d, &yes), DBM_E_RANGE), DBM_E_RANGE, "column 1 (n)");
    assert_int_equal(a, 1); /* all are written: those after the failure too */
    assert_int_equal(b, 0);
    assert_int_equal(small, 3);
    assert_true(d == 1.5 && yes);
    STICKS("SELECT 'longer' AS n", assert_int_equal(dbm_scan(row, &buffer), DBM_E_RANGE), DBM_E_RANGE, "column 0 (n)");
    assert_string_equal(buffer, "lon"); /* what fits */
    a = b = 7; t = NULL; d = 7; yes = true;
    strcpy(buffer, "abc");
    STICKS("SELECT 1, 2", assert_int_equal(dbm_scan(row, &a, &t, &d, &yes, &buffer), DBM_E_RANGE), DBM_E_RANGE, "5 targets for 2 columns");
    assert_int_equal(a, 0);
    assert_true(t != NULL && t[0] == 0);
    assert_true(d == 0.0 && !yes && buffer[0] == 0);
    a = 7;
    STICKS("SELECT 1, 2", assert_int_equal(dbm_scan(row, &a), DBM_E_RANGE), DBM_E_RANGE, "1 targets for 2 columns");
    assert_int_equal(a, 0);
#undef STICKS
    /* Without a row at all. */
    a = 7;
    t = NULL;
    assert_int_not_equal(dbm_scan((dbm_row *)NULL, &a, &t), DBM_OK);
    assert_int_equal(a, 0);
    assert_true(t != NULL && t[0] == 0);
}

static void done_and_not_found_do_not_stick(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_row *row = (dbm_row *)1;
        dbm_rows *rows;
        put(s, 1);
        assert_int_equal(dbm_query_one(s, &row, "SELECT 1 FROM t WHERE id = 99"), DBM_E_NOT_FOUND);
        assert_null(row);
        assert_int_equal(dbm_last_error()->status, DBM_E_NOT_FOUND);
        assert_int_equal(dbm_status_of(s), DBM_OK);
        assert_int_equal(dbm_query(s, &rows, "SELECT 1 FROM t WHERE id = 99"), DBM_OK);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        assert_null(row);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_DONE);
        dbm_rows_end(rows);
        assert_int_equal(dbm_status_of(s), DBM_OK);
        assert_int_equal(put(s, 2), DBM_OK);
        for (int i = 0; i < 4; i++) { /* a statement that is well known takes a shorter way to the same end */
            dbm_status st = dbm_query_one(s, &row, "SELECT a FROM t WHERE id = ?", i % 2 ? 1 : 99);
            assert_int_equal(st, i % 2 ? DBM_OK : DBM_E_NOT_FOUND);
            assert_int_equal(row != NULL, i % 2);
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows_kept(), 2);
    DBM_FAILED(e) fail_msg("%s", e->message);
}

static void a_failure_ends_the_loop_it_is_in(void **state) {
    int loops = 0;
    dbm_status rc;
    (void)state;
    raw_run("INSERT INTO t (a) VALUES (1), (NULL), (3)");
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "SELECT a FROM t ORDER BY id") {
            loops++;
            (void)dbm_row_int(row, 0);
        }
    }
    assert_int_equal(loops, 2);
    assert_int_equal(rc, DBM_E_RANGE);
    DBM_FAILED(e) assert_says(e->message, "column 0 (a) of row 2");
}

/* ---- NULL is taken everywhere ----------------------------------------------------------------------------------------------- */

static void null_is_taken_everywhere(void **state) {
    dbm_session *s = NULL;
    dbm_database *d = NULL;
    dbm_row *row = NULL;
    dbm_rows *rows = NULL;
    dbm_statement *st = NULL;
    char buf[8];
    int n = 5;
    size_t size = 5;
    int loops = 0;
    dbm_session empty;
    (void)state;
    memset(&empty, 0, sizeof empty);
    assert_int_equal(dbm_session_begin(db, NULL, NULL), DBM_E_MISUSE); /* from here on the last failure is this one */
    assert_int_equal(dbm_exec(s, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_exec(d, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_exec(&empty, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_send(s, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_send(d, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_execv(s, "SELECT 1", NULL, 0), DBM_E_MISUSE);
    assert_int_equal(dbm_execv(d, "SELECT 1", NULL, 0), DBM_E_MISUSE);
    assert_int_equal(dbm_query(s, &rows, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_query(d, &rows, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_queryv(s, &rows, "SELECT 1", NULL, 0), DBM_E_MISUSE);
    assert_int_equal(dbm_queryv(d, &rows, "SELECT 1", NULL, 0), DBM_E_MISUSE);
    assert_int_equal(dbm_query_one(s, &row, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_query_one(d, &row, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_script(s, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_script(d, "SELECT 1"), DBM_E_MISUSE);
    DBM_EACH(s, r, "SELECT 1") { (void)r; loops++; }
    DBM_EACH(d, r, "SELECT 1") { (void)r; loops++; }
    DBM_STMT_EACH(st, r) { (void)r; loops++; }
    DBM_SAVEPOINT(s) loops++;
    assert_int_equal(loops, 0);
    assert_int_equal(dbm_commit(s), DBM_E_MISUSE);
    assert_int_equal(dbm_rollback(s), DBM_E_MISUSE);
    assert_int_equal(dbm_cancel(s), DBM_E_MISUSE);
    assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE);
    assert_int_equal(dbm_status_of(s), DBM_E_MISUSE);
    assert_int_equal(dbm_session_end(s), DBM_E_MISUSE);
    assert_int_equal(dbm_affected(s), -1);
    assert_int_equal(dbm_last_id(s), 0);
    assert_null(dbm_session_database(s));
    assert_null(dbm_native(s, "sqlite"));
    assert_int_equal(dbm_ident(s, buf, sizeof buf, "a"), DBM_E_MISUSE);
    assert_int_equal(dbm_prepare(s, "SELECT 1", &st), DBM_E_MISUSE);
    assert_int_equal(dbm_stmt_exec(st), DBM_E_MISUSE);
    assert_int_equal(dbm_stmt_query(st, &rows), DBM_E_MISUSE);
    assert_int_equal(dbm_stmt_query_one(st, &row, 1), DBM_E_MISUSE);
    dbm_stmt_end(st);
    assert_int_equal(dbm_rows_next(rows, &row), DBM_E_MISUSE);
    assert_null(row);
    dbm_rows_end(rows);
    dbm_row_end(row);
    assert_int_equal(dbm_rows_columns(rows), 0);
    assert_string_equal(dbm_rows_name(rows, 0), "");
    assert_int_equal(dbm_row_int(row, 0), 0);
    assert_int_equal(dbm_row_uint(row, 0), 0);
    assert_true(dbm_row_double(row, 0) == 0.0);
    assert_string_equal(dbm_row_text(row, 0), "");
    assert_null(dbm_row_blob(row, 0, &size));
    assert_int_equal(size, 0);
    assert_false(dbm_row_bool(row, 0));
    assert_int_equal(dbm_row_timestamp(row, 0), 0);
    assert_true(dbm_row_is_null(row, 0));
    assert_int_equal(dbm_row_value(row, 0).type, DBM_TYPE_NULL);
    assert_int_equal(dbm_row_columns(row), 0);
    assert_string_equal(dbm_row_name(row, 0), "");
    assert_int_equal(dbm_row_index(row, "a"), -1);
    assert_int_not_equal(dbm_scan(row, &n), DBM_OK);
    assert_int_equal(n, 0);
    assert_int_equal(dbm_stats(d, NULL), DBM_E_MISUSE);
    assert_int_equal(dbm_session_begin(d, NULL, &empty), DBM_E_MISUSE);
    assert_int_equal(dbm_session_begin(db, NULL, NULL), DBM_E_MISUSE);
    assert_int_equal(dbm_query(db, NULL, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_query_one(db, NULL, "SELECT 1"), DBM_E_MISUSE);
    assert_int_equal(dbm_exec(db, NULL), DBM_E_MISUSE);
    DBM_SESSION(mgr, NULL, live) {
        assert_int_equal(dbm_exec(live, NULL), DBM_E_MISUSE);
        assert_int_equal(dbm_rollback(live), DBM_OK);
        assert_int_equal(dbm_prepare(live, NULL, &st), DBM_E_MISUSE);
        assert_null(st);
    }
    /* A chain without a check: what failed first is what the last one says. */
    assert_null(dbm_get(mgr, "nobody"));
    assert_int_equal(dbm_exec(dbm_get(mgr, "nobody"), "SELECT 1"), DBM_E_UNKNOWN_NAME);
    assert_last(DBM_E_UNKNOWN_NAME, "nobody");
}

/* ---- savepoints ----------------------------------------------------------------------------------------------------------------- */

static void a_savepoint_is_kept_or_undone_alone(void **state) {
    dbm_status rc, part = DBM_OK, second = DBM_OK, third = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_SAVEPOINT_RC(s, &part) {
            assert_int_equal(part, DBM_ROLLED_BACK);
            put(s, 2);
        }
        assert_int_equal(part, DBM_OK);
        DBM_SAVEPOINT_RC(s, &second) {
            put(s, 3);
            assert_int_equal(dbm_exec(s, NO_TABLE), DBM_E_SQL);
            assert_int_equal(put(s, 4), DBM_E_SQL);
            assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE); /* half of it is still there */
            assert_int_equal(dbm_status_of(s), DBM_E_SQL);
        }
        assert_int_equal(second, DBM_E_SQL);
        assert_int_equal(dbm_status_of(s), DBM_E_SQL); /* sticks to the session */
        assert_int_equal(put(s, 5), DBM_E_SQL);
        assert_int_equal(dbm_clear_error(s), DBM_OK);
        assert_int_equal(dbm_status_of(s), DBM_OK);
        assert_int_equal(put(s, 6), DBM_OK);
        DBM_SAVEPOINT_RC(s, &third) {
            put(s, 7);
            break;
        }
        assert_int_equal(third, DBM_ROLLED_BACK);
        assert_int_equal(put(s, 8), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows_kept(), 4);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 1 + 2 + 6 + 8);
}

static void a_failed_savepoint_fails_the_session_unless_cleared(void **state) {
    dbm_status rc, part;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_SAVEPOINT_RC(s, &part) dbm_exec(s, NO_TABLE);
        assert_int_equal(part, DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a failure before the savepoint is no affair of its */
        put(s, 1);
        dbm_exec(s, NO_TABLE);
        part = DBM_OK;
        DBM_SAVEPOINT_RC(s, &part) fail_msg("the body ran");
        assert_int_equal(part, DBM_E_SQL);
        assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE);
        assert_int_equal(put(s, 2), DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a second failure after an undone one is not undone */
        put(s, 1);
        DBM_SAVEPOINT(s) dbm_exec(s, NO_TABLE);
        assert_int_equal(dbm_clear_error(s), DBM_OK);
        dbm_exec(s, NO_TABLE);
        assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE);
    }
    assert_int_equal(rc, DBM_E_SQL);
    assert_int_equal(rows_kept(), 0);
}

static void savepoints_nest(void **state) {
    dbm_status rc, outer = DBM_OK, inner = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_SAVEPOINT_RC(s, &outer) { /* nothing ran before: BEGIN and both savepoints ride with the first statement */
            DBM_SAVEPOINT_RC(s, &inner) put(s, 1);
            put(s, 2);
            DBM_SAVEPOINT_RC(s, &inner) {
                put(s, 4);
                dbm_exec(s, NO_TABLE);
            }
            assert_int_equal(inner, DBM_E_SQL);
            assert_int_equal(dbm_clear_error(s), DBM_OK);
            put(s, 8);
            DBM_SAVEPOINT(s) DBM_SAVEPOINT(s) DBM_SAVEPOINT(s) DBM_SAVEPOINT(s) { /* deeper than the prepared ones */
                put(s, 16);
                DBM_SAVEPOINT(s) { put(s, 32); break; }
            }
        }
        assert_int_equal(outer, DBM_OK);
        DBM_SAVEPOINT_RC(s, &outer) {
            put(s, 64);
            DBM_SAVEPOINT(s) { put(s, 128); }
            break; /* drops what the inner one kept */
        }
        assert_int_equal(outer, DBM_ROLLED_BACK);
        DBM_SAVEPOINT_RC(s, &outer) { } /* empty */
        assert_int_equal(outer, DBM_OK);
        DBM_SAVEPOINT_RC(s, &outer) continue;
        assert_int_equal(outer, DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 1 + 2 + 8 + 16);
}

static void leave_by_return(dbm_status *rc, dbm_status *part) {
    DBM_SESSION_RC(mgr, NULL, s, rc) {
        put(s, 1);
        DBM_SAVEPOINT_RC(s, part) {
            put(s, 2);
            DBM_EACH(s, row, "SELECT a FROM t ORDER BY a") {
                if (dbm_row_int(row, 0) == 2) return;
            }
        }
    }
}

static void savepoints_and_rows_are_left_together(void **state) {
    dbm_status rc = DBM_OK, part = DBM_OK;
    int loops = 0;
    (void)state;
    leave_by_return(&rc, &part);
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_int_equal(part, DBM_ROLLED_BACK);
    assert_int_equal(rows_kept(), 0);
    raw_run("INSERT INTO t (a) VALUES (1), (2), (3), (4)");
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a savepoint around each row: what fails is undone, the loop goes on */
        DBM_EACH(s, row, "SELECT id, a FROM t ORDER BY id") {
            int64_t id = dbm_row_int(row, 0), a = dbm_row_int(row, 1);
            loops++;
            DBM_SAVEPOINT_RC(s, &part) {
                dbm_exec(s, "UPDATE t SET a = a * 10 WHERE id = ?", id);
                if (a == 2) dbm_exec(s, NO_TABLE);
                if (a == 3) break;
            }
            assert_int_equal(part, a == 2 ? DBM_E_SQL : a == 3 ? DBM_ROLLED_BACK : DBM_OK);
            if (part != DBM_OK && a == 2) assert_int_equal(dbm_clear_error(s), DBM_OK);
            assert_int_equal(dbm_row_int(row, 1), a); /* still the row in hand */
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(loops, 4);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 10 + 2 + 3 + 40);
}

static void clear_error_without_a_transaction(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, "alone", s, &rc) {
        dbm_exec(s, NO_TABLE);
        assert_int_equal(put(s, 1), DBM_E_SQL);
        assert_int_equal(dbm_clear_error(s), DBM_OK);
        assert_int_equal(put(s, 2), DBM_OK);
        assert_int_equal(dbm_clear_error(s), DBM_OK); /* nothing to clear */
        dbm_exec(s, "SELECT 1");
        assert_int_equal(dbm_status_of(s), DBM_OK);
        DBM_SAVEPOINT(s) fail_msg("there is no transaction to save a point of");
        assert_int_equal(dbm_status_of(s), DBM_E_UNSUPPORTED);
        assert_int_equal(dbm_clear_error(s), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows_kept(), 1);
}

static void commit_is_not_for_loops_and_savepoints(void **state) {
    dbm_status rc;
    (void)state;
    raw_run("INSERT INTO t (a) VALUES (1), (2)");
#define MISUSED(block, call, said) \
    do { \
        DBM_SESSION_RC(mgr, NULL, s, &rc) { \
            put(s, 3); \
            block assert_int_equal(call(s), DBM_E_MISUSE); \
            assert_last(DBM_E_MISUSE, said); \
            assert_int_equal(put(s, 4), DBM_E_MISUSE); \
        } \
        assert_int_equal(rc, DBM_E_MISUSE); \
        assert_int_equal(rows_kept(), 2); \
    } while (0)
    MISUSED(DBM_EACH(s, row, "SELECT a FROM t"), dbm_commit, "test_session.c:");
    MISUSED(DBM_EACH(s, row, "SELECT a FROM t"), dbm_rollback, "test_session.c:");
    MISUSED(DBM_SAVEPOINT(s), dbm_commit, "DBM_SAVEPOINT");
    MISUSED(DBM_SAVEPOINT(s), dbm_rollback, "DBM_SAVEPOINT");
#undef MISUSED
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* rows by hand too, until they are ended */
        dbm_rows *rows;
        dbm_row *row;
        put(s, 3);
        assert_int_equal(dbm_query(s, &rows, "SELECT a FROM t"), DBM_OK);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_OK);
        dbm_rows_end(rows);
        assert_int_equal(dbm_commit(s), DBM_OK);
        assert_int_equal(dbm_query_one(s, &row, "SELECT a FROM t"), DBM_OK);
        assert_int_equal(dbm_commit(s), DBM_OK); /* the one row is no loop */
        assert_int_equal(dbm_query(s, &rows, "SELECT a FROM t"), DBM_OK);
        assert_int_equal(dbm_commit(s), DBM_E_MISUSE);
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    assert_int_equal(rows_kept(), 3);
}

static void transactions_belong_to_the_session(void **state) {
    static const char *const words[] = {
        "BEGIN", "begin immediate", "COMMIT", "END", "ROLLBACK", "SAVEPOINT x", "RELEASE x", "ROLLBACK TO x", " /* c */ COMMIT", "-- c\nROLLBACK", "START TRANSACTION"
    };
    dbm_status rc;
    (void)state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            put(s, 1);
            assert_int_equal(dbm_exec(s, words[i]), i == 10 ? DBM_E_SQL : DBM_E_MISUSE); /* the last one is not SQLite's */
            if (i != 10) assert_says(dbm_last_error()->message, "dbm_commit");
        }
        assert_int_equal(rc, i == 10 ? DBM_E_SQL : DBM_E_MISUSE);
        assert_int_equal(rows_kept(), 0);
        assert_int_not_equal(dbm_exec(alone, words[i]), DBM_OK);
        assert_int_not_equal(dbm_exec(db, words[i]), DBM_OK);
    }
}

/* ---- nesting --------------------------------------------------------------------------------------------------------------------- */

static void inner_blocks_join(void **state) {
    dbm_status outer, inner = DBM_OK, auto_rc = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        put(s, 1);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) {
            assert_int_equal(stats_of(db).out, 1);
            assert_int_equal(inner, DBM_ROLLED_BACK);
            put(s2, 2);
        }
        assert_int_equal(inner, DBM_OK); /* if the outer one commits */
        assert_int_equal(rows_kept(), 0);
        DBM_SESSION_ON(db, s2) put(s2, 4);
        DBM_SESSION_OPT(mgr, NULL, s2, .status = &inner) {
            put(s2, 8);
            dbm_exec(s2, NO_TABLE);
            assert_int_equal(dbm_status_of(s2), DBM_E_SQL);
        }
        assert_int_equal(inner, DBM_E_SQL);
        DBM_FAILED(e) assert_int_equal(e->status, DBM_E_SQL);
        assert_int_equal(dbm_status_of(s), DBM_OK); /* it did not stick here */
        assert_int_equal(put(s, 16), DBM_OK);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) {
            put(s2, 32);
            break;
        }
        assert_int_equal(inner, DBM_E_LEFT_EARLY);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) {
            put(s2, 64);
            assert_int_equal(dbm_commit(s2), DBM_OK);
            put(s2, 128);
            assert_int_equal(dbm_rollback(s2), DBM_OK); /* to what was committed */
            put(s2, 256);
        }
        assert_int_equal(inner, DBM_OK);
        {
            DBM_AUTO_SESSION(mgr, NULL, s2, &auto_rc);
            put(s2, 512);
            dbm_commit(s2);
            put(s2, 1024);
        }
        assert_int_equal(auto_rc, DBM_E_LEFT_EARLY);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) DBM_SESSION(mgr, NULL, s3) DBM_SESSION(mgr, NULL, s4) {
            (void)s2;
            (void)s3;
            assert_int_equal(put(s4, 2048), DBM_OK);
        }
        DBM_SESSION_RC(mgr, NULL, s2, &inner) continue;
        assert_int_equal(inner, DBM_OK);
        assert_int_equal(put(s, 4096), DBM_OK);
        assert_int_equal(dbm_session_failed(NULL), false);
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 1 + 2 + 4 + 16 + 64 + 256 + 512 + 2048 + 4096);
    DBM_FAILED(e) fail_msg("%s", e->message);
    raw_run("DELETE FROM t");

    DBM_SESSION_RC(mgr, NULL, s, &outer) { /* kept only if the outer one commits */
        DBM_SESSION_RC(mgr, NULL, s2, &inner) put(s2, 1);
        assert_int_equal(inner, DBM_OK);
        dbm_exec(s, NO_TABLE);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) assert_int_equal(put(s2, 2), DBM_E_SQL); /* nothing can run in there */
        assert_int_equal(inner, DBM_E_SQL);
    }
    assert_int_equal(outer, DBM_E_SQL);
    assert_int_equal(rows_kept(), 0);
}

/* Whatever an inner block leaves behind, the outer one is as it was, and the connection goes back clean. */
static void inner_blocks_leave_nothing_behind(void **state) {
    dbm_status outer;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &outer) { /* the transaction began inside, and both are left early */
        DBM_SESSION(mgr, NULL, s2) { put(s2, 1); break; }
        (void)s;
        break;
    }
    assert_int_equal(outer, DBM_ROLLED_BACK);
    assert_idle();
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        DBM_SESSION(mgr, NULL, s2) { put(s2, 1); dbm_rollback(s2); }
        (void)s;
        break;
    }
    assert_idle();
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        put(s, 1);
        dbm_commit(s);
        DBM_SESSION(mgr, NULL, s2) { read_one(s2); break; }
    }
    assert_int_equal(outer, DBM_OK);
    assert_idle();
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        DBM_SESSION(mgr, NULL, s2) dbm_exec(s2, NO_TABLE);
        dbm_rollback(s);
        DBM_SESSION(mgr, NULL, s2) { put(s2, 4); break; }
    }
    assert_idle();
    assert_int_equal(rows_kept(), 1);
    dbm_session_failed(NULL);

    DBM_SESSION_RC(mgr, NULL, s, &outer) { /* a savepoint of the middle one must not outlive it */
        put(s, 2);
        DBM_SESSION(mgr, NULL, s2) {
            DBM_SESSION(mgr, NULL, s3) { put(s3, 100); break; }
            (void)s2;
            break;
        }
        put(s, 3);
        DBM_SESSION(mgr, NULL, s2) { put(s2, 200); break; }
        put(s, 4);
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 1 + 2 + 3 + 4);
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        put(s, 5);
        DBM_SESSION(mgr, NULL, s2) {
            put(s2, 6);
            dbm_commit(s2);
            DBM_SESSION(mgr, NULL, s3) { put(s3, 100); break; }
        }
        put(s, 7);
        DBM_SESSION(mgr, NULL, s2) { put(s2, 200); dbm_rollback(s2); }
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 10 + 5 + 6 + 7);
    DBM_SESSION_RC(mgr, NULL, s, &outer) { /* savepoints in joined blocks */
        DBM_SESSION(mgr, NULL, s2) {
            DBM_SAVEPOINT(s2) { put(s2, 100); break; }
            put(s2, 8);
            DBM_SAVEPOINT(s2) put(s2, 9);
        }
        DBM_SAVEPOINT(s) DBM_SESSION(mgr, NULL, s2) put(s2, 10);
        DBM_SAVEPOINT(s) { DBM_SESSION(mgr, NULL, s2) put(s2, 100); break; }
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 28 + 8 + 9 + 10);
}

static void the_outer_handle_rests(void **state) {
    dbm_status outer, inner;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        put(s, 1);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) {
            put(s2, 2);
            assert_int_equal(put(s, 3), DBM_E_MISUSE);
            assert_says(dbm_last_error()->message, "test_session.c:");
            assert_int_equal(dbm_commit(s), DBM_E_MISUSE);
            assert_int_equal(dbm_status_of(s2), DBM_OK); /* that was the other one's mistake */
        }
        assert_int_equal(inner, DBM_OK);
        assert_int_equal(dbm_status_of(s), DBM_E_MISUSE); /* and stuck to it */
        assert_int_equal(put(s, 4), DBM_E_MISUSE);
    }
    assert_int_equal(outer, DBM_E_MISUSE);
    assert_int_equal(rows_kept(), 0);
}

static void options_of_a_joined_block(void **state) {
    dbm_status outer, inner;
    (void)state;
#define CONFLICT(part, ...) \
    do { \
        inner = DBM_OK; \
        DBM_SESSION_OPT(mgr, NULL, s2, .status = &inner, __VA_ARGS__) fail_msg("joined with another " part); \
        assert_int_equal(inner, DBM_E_MISUSE); \
        DBM_FAILED(e) { \
            assert_int_equal(e->status, DBM_E_MISUSE); \
            assert_says(e->message, part); \
            assert_says(e->message, "separate"); \
        } \
        assert_int_equal(dbm_status_of(s), DBM_OK); \
    } while (0)
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        put(s, 1);
        CONFLICT("isolation", .isolation = DBM_SERIALIZABLE);
        CONFLICT("read_only", .read_only = true);
        CONFLICT("autocommit", .autocommit = true);
        CONFLICT("autocommit", .isolation = DBM_AUTOCOMMIT, .autocommit = true);
        DBM_SESSION_OPT(mgr, NULL, s2, .write = true, .status = &inner) put(s2, 2); /* it writes already */
        assert_int_equal(inner, DBM_OK);
    }
    assert_int_equal(outer, DBM_OK);
    DBM_SESSION_OPT(mgr, NULL, s, .status = &outer, .isolation = DBM_SERIALIZABLE, .read_only = true) {
        read_one(s);
        CONFLICT("write", .write = true);
        DBM_SESSION_OPT(mgr, NULL, s2, .isolation = DBM_SERIALIZABLE, .read_only = true, .status = &inner) read_one(s2); /* the same is fine */
        assert_int_equal(inner, DBM_OK);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) assert_int_equal(put(s2, 9), DBM_E_READ_ONLY); /* and so is saying nothing */
        assert_int_equal(inner, DBM_E_READ_ONLY);
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(rows_kept(), 2);
#undef CONFLICT
    DBM_SESSION_RC(mgr, NULL, s, &outer) { /* .write asked for before anything ran: BEGIN will be IMMEDIATE */
        DBM_SESSION_OPT(mgr, NULL, s2, .write = true, .status = &inner) {
            read_one(s2);
            assert_int_equal(sqlite3_exec(raw, "PRAGMA busy_timeout = 0; BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_BUSY);
        }
        (void)s;
    }
    assert_int_equal(outer, DBM_OK);
    raw_run("PRAGMA busy_timeout = 5000");
}

static void separate_takes_its_own(void **state) {
    dbm_status outer, inner;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        read_one(s);
        DBM_SESSION_OPT(mgr, NULL, s2, .separate = true, .status = &inner) {
            assert_int_equal(stats_of(db).out, 2);
            put(s2, 1);
            assert_int_equal(dbm_status_of(s), DBM_OK); /* both are usable */
            read_one(s);
            DBM_SESSION(mgr, NULL, s3) put(s3, 2); /* joins the innermost */
            assert_int_equal(stats_of(db).out, 2);
        }
        assert_int_equal(inner, DBM_OK);
        assert_int_equal(rows_kept(), 2); /* whatever becomes of the outer one */
        dbm_exec(s, NO_TABLE);
    }
    assert_int_equal(outer, DBM_E_SQL);
    assert_int_equal(rows_kept(), 2);
    DBM_SESSION_RC(mgr, NULL, s, &outer) { /* two writers of one thread would wait for each other for ever */
        put(s, 3);
        DBM_SESSION_OPT(mgr, NULL, s2, .separate = true, .status = &inner) {
            assert_int_equal(put(s2, 4), DBM_E_WOULD_DEADLOCK);
            assert_says(dbm_last_error()->message, "test_session.c:");
        }
        assert_int_equal(inner, DBM_E_WOULD_DEADLOCK);
        DBM_SESSION_OPT(mgr, NULL, s2, .separate = true) DBM_SESSION_OPT(mgr, NULL, s3, .separate = true, .status = &inner) {
            (void)s2;
            (void)s3;
            fail_msg("three of two connections");
        }
        assert_int_equal(inner, DBM_E_WOULD_DEADLOCK);
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(rows_kept(), 3);
}

static void other_databases_do_not_join(void **state) {
    dbm_status outer, inner;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &outer) {
        read_one(s);
        DBM_SESSION_RC(mgr, "single", s2, &inner) {
            put(s2, 1);
            read_one(s); /* of another database: no affair of the inner block */
            assert_int_equal(dbm_exec(db, "SELECT 1"), DBM_OK);
            assert_int_equal(stats_of(db).out, 1);
        }
        assert_int_equal(rows_kept(), 1);
        DBM_SESSION_RC(mgr, "single", s2, &inner) { put(s2, 2); dbm_exec(s2, NO_TABLE); }
        assert_int_equal(dbm_status_of(s), DBM_OK);
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(rows_kept(), 1);
}

static void blocks_join_without_transactions_too(void **state) {
    dbm_status outer, inner;
    int loops = 0;
    (void)state;
    raw_run("INSERT INTO t (a) VALUES (1), (2), (3)");
    DBM_SESSION_RC(mgr, "alone", s, &outer) {
        DBM_EACH(s, row, "SELECT a FROM t ORDER BY a LIMIT 3") { /* is not ended by the inner block's end */
            loops++;
            DBM_SESSION_RC(mgr, "alone", s2, &inner) {
                assert_int_equal(stats_of(alone).out, 1);
                put(s2, 10);
                if (loops == 2) break;
                if (loops == 3) dbm_exec(s2, NO_TABLE);
            }
            assert_int_equal(inner, loops == 3 ? DBM_E_SQL : DBM_OK);
            assert_int_equal(dbm_row_int(row, 0), loops);
        }
        assert_int_equal(dbm_status_of(s), DBM_OK);
    }
    assert_int_equal(outer, DBM_OK);
    assert_int_equal(loops, 3);
    assert_int_equal(rows_kept(), 6);
}

static void rows_of_an_inner_block_end_with_it(void **state) {
    dbm_rows *rows = NULL, *outer_rows = NULL;
    dbm_row *row;
    (void)state;
    raw_run("INSERT INTO t (a) VALUES (1), (2), (3)");
    DBM_SESSION(mgr, NULL, s) {
        assert_int_equal(dbm_query(s, &outer_rows, "SELECT a FROM t ORDER BY a"), DBM_OK);
        assert_int_equal(dbm_rows_next(outer_rows, &row), DBM_OK);
        DBM_SESSION(mgr, NULL, s2) {
            assert_int_equal(dbm_query(s2, &rows, "SELECT a FROM t"), DBM_OK);
            assert_int_equal(dbm_rows_next(rows, &row), DBM_OK);
        }
        assert_int_equal(dbm_rows_next(rows, &row), DBM_E_MISUSE);
        assert_int_equal(dbm_rows_next(outer_rows, &row), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 2);
    }
    assert_false(dbm_session_failed(NULL));
}

static void by_hand_never_joins(void **state) {
    dbm_session h, h2;
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        read_one(s);
        assert_int_equal(dbm_session_begin(db, NULL, &h), DBM_OK);
        assert_int_equal(stats_of(db).out, 2);
        assert_int_equal(put(&h, 1), DBM_OK);
        assert_int_equal(dbm_commit(&h), DBM_OK);
        assert_int_equal(dbm_session_end(&h), DBM_OK);
        assert_int_equal(rows_kept(), 1);
    }
    assert_int_equal(dbm_session_begin(db, NULL, &h), DBM_OK);
    DBM_SESSION(mgr, NULL, s) { /* nor is it joined */
        assert_int_equal(stats_of(db).out, 2);
        (void)s;
    }
    assert_int_equal(dbm_session_begin(db, NULL, &h2), DBM_OK);
    assert_int_equal(put(&h2, 2), DBM_OK);
    assert_int_equal(dbm_session_end(&h), DBM_OK); /* in any order */
    assert_int_equal(dbm_session_end(&h2), DBM_E_LEFT_EARLY);
    assert_int_equal(rows_kept(), 1);
}

/* ---- by hand: late and double ends ----------------------------------------------------------------------------------------------- */

static void late_and_double_ends_do_nothing(void **state) {
    dbm_session h, copy, next;
    (void)state;
    assert_int_equal(dbm_session_begin(single, NULL, &h), DBM_OK);
    copy = h;
    assert_int_equal(put(&h, 1), DBM_OK);
    assert_int_equal(dbm_commit(&h), DBM_OK);
    assert_int_equal(dbm_session_end(&h), DBM_OK);
    assert_int_equal(dbm_session_end(&h), DBM_OK);
    assert_int_equal(put(&h, 1), DBM_E_MISUSE);
    assert_int_equal(stats_of(single).stale_handles, 0);
    assert_int_equal(dbm_session_begin(single, NULL, &next), DBM_OK); /* the same slot */
    assert_ptr_equal(next.slot, copy.slot);
    put(&next, 2);
    assert_int_equal(dbm_session_end(&copy), DBM_E_MISUSE);
    assert_int_equal(put(&copy, 3), DBM_E_MISUSE);
    assert_int_equal(dbm_commit(&copy), DBM_E_MISUSE);
    assert_int_equal(dbm_rollback(&copy), DBM_E_MISUSE);
    assert_int_equal(dbm_cancel(&copy), DBM_E_MISUSE);
    assert_int_equal(dbm_clear_error(&copy), DBM_E_MISUSE);
    assert_int_equal(stats_of(single).stale_handles, 6);
    assert_int_equal(stats_of(single).out, 1);
    assert_int_equal(dbm_status_of(&next), DBM_OK);
    assert_int_equal(put(&next, 4), DBM_OK);
    assert_int_equal(dbm_commit(&next), DBM_OK);
    assert_int_equal(dbm_session_end(&next), DBM_OK);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 1 + 2 + 4);
    DBM_SESSION(mgr, "single", s) copy = *s;
    assert_int_equal(put(&copy, 5), DBM_E_MISUSE);
    assert_int_equal(rows_kept(), 3);
}

/* ---- calls on a database ------------------------------------------------------------------------------------------------------------ */

static void calls_on_a_database(void **state) {
    dbm_rows *rows;
    dbm_row *row;
    dbm_status rc;
    int loops = 0;
    (void)state;
    assert_int_equal(dbm_exec(db, "INSERT INTO t (a) VALUES (?), (2), (3)", 1), DBM_OK); /* committed at once */
    assert_int_equal(rows_kept(), 3);
    assert_int_equal(dbm_exec(db, NO_TABLE), DBM_E_SQL);
    assert_int_equal(dbm_exec(db, "SELECT 1"), DBM_OK); /* nothing sticks to a database */
    assert_int_equal(stats_of(db).out, 0);

    assert_int_equal(dbm_query(db, &rows, "SELECT a FROM t ORDER BY a"), DBM_OK);
    assert_int_equal(stats_of(db).out, 1); /* rows hold their connection */
    assert_int_equal(dbm_rows_next(rows, &row), DBM_OK);
    assert_int_equal(dbm_row_int(row, 0), 1);
    dbm_rows_end(rows);
    assert_int_equal(stats_of(db).out, 0);
    dbm_rows_end(NULL);
    assert_int_equal(dbm_query(db, &rows, "SELECT a FROM t ORDER BY a"), DBM_OK);
    while (dbm_rows_next(rows, &row) == DBM_OK) loops++;
    assert_int_equal(loops, 3);
    assert_int_equal(stats_of(db).out, 1); /* until dbm_rows_end, also after the last row */
    dbm_rows_end(rows);
    assert_int_equal(stats_of(db).out, 0);

    assert_int_equal(dbm_query_one(db, &row, "SELECT a FROM t WHERE a = ?", 2), DBM_OK);
    assert_int_equal(dbm_row_int(row, 0), 2);
    assert_int_equal(stats_of(db).out, 1);
    dbm_row_end(row);
    assert_int_equal(stats_of(db).out, 0);
    assert_int_equal(dbm_query_one(db, &row, "SELECT a FROM t WHERE a = 99"), DBM_E_NOT_FOUND);
    assert_null(row);
    assert_int_equal(stats_of(db).out, 0);
    assert_int_equal(dbm_query(db, &rows, "SELECT nothing"), DBM_E_SQL);
    assert_null(rows);
    assert_int_equal(dbm_query(db, &rows, "SELECT ?", 1, 2), DBM_E_MISUSE);
    assert_int_equal(stats_of(db).out, 0);

    loops = 0;
    DBM_EACH(db, r, "SELECT a FROM t ORDER BY a") {
        loops++;
        if (dbm_row_int(r, 0) == 2) break;
    }
    assert_int_equal(loops, 2);
    assert_int_equal(stats_of(db).out, 0);
    DBM_EACH(db, r, "SELECT a FROM t ORDER BY a") assert_int_equal(dbm_exec(db, "UPDATE t SET a = a + 10 WHERE a = ?", dbm_row_int(r, 0)), DBM_OK);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 36);

    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* in a block they are the block's */
        put(s, 100);
        assert_int_equal(dbm_exec(db, "INSERT INTO t (a) VALUES (200)"), DBM_OK);
        assert_int_equal(stats_of(db).out, 1);
        assert_int_equal(dbm_query_one(db, &row, "SELECT count(*) FROM t"), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 5);
        dbm_row_end(row);
        DBM_EACH(db, r, "SELECT 1") (void)r;
        assert_int_equal(stats_of(db).out, 1);
        dbm_rollback(s);
    }
    assert_int_equal(rc, DBM_ROLLED_BACK);
    assert_int_equal(rows_kept(), 3);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* and so are their failures */
        put(s, 100);
        assert_int_equal(dbm_exec(db, NO_TABLE), DBM_E_SQL);
        assert_int_equal(dbm_status_of(s), DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    assert_int_equal(rows_kept(), 3);
}

static int each_and_return(void) {
    DBM_EACH(db, r, "SELECT 1 UNION ALL SELECT 2") return (int)dbm_row_int(r, 0);
    return 0;
}
static void rows_on_a_database_go_back_by_return(void **state) {
    (void)state;
    assert_int_equal(each_and_return(), 1);
    assert_int_equal(stats_of(db).out, 0);
}

/* ---- retry ----------------------------------------------------------------------------------------------------------------------------- */

static void retry_runs_again_after_a_conflict(void **state) {
    int runs = 0;
    (void)state;
    raw_run("INSERT INTO t (id, a) VALUES (1, 10)");
    DBM_RETRY(mgr, NULL, s, 5) {
        dbm_row *row;
        int64_t a;
        runs++;
        assert_int_equal(dbm_query_one(s, &row, "SELECT a FROM t WHERE id = 1"), DBM_OK);
        a = dbm_row_int(row, 0);
        if (runs <= 2) raw_run("UPDATE t SET a = a + 1 WHERE id = 1"); /* somebody else commits first */
        if (runs <= 2) assert_int_equal(dbm_exec(s, "UPDATE t SET a = ? WHERE id = 1", a * 2), DBM_E_SERIALIZATION);
        else assert_int_equal(dbm_exec(s, "UPDATE t SET a = ? WHERE id = 1", a * 2), DBM_OK);
    }
    assert_int_equal(runs, 3);
    assert_int_equal(raw_number("SELECT a FROM t WHERE id = 1"), 24);
    assert_int_equal(stats_of(db).retries, 2);
    assert_false(dbm_session_failed(NULL));
}

#define CONFLICT(s) \
    do { \
        read_one(s); \
        raw_run("UPDATE t SET a = a + 1"); \
        assert_int_equal(dbm_exec(s, "UPDATE t SET a = 0"), DBM_E_SERIALIZATION); \
        assert_true(dbm_last_error()->retryable); \
    } while (0)

static void retry_knows_its_bounds(void **state) {
    dbm_error_info err;
    dbm_status rc;
    int runs = 0;
    (void)state;
    raw_run("INSERT INTO t (id, a) VALUES (1, 10)");
    DBM_RETRY(mgr, NULL, s, 3) { runs++; CONFLICT(s); }
    assert_int_equal(runs, 3);
    assert_true(dbm_session_failed(&err));
    assert_int_equal(err.status, DBM_E_SERIALIZATION);
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 0) { runs++; CONFLICT(s); } /* at least once */
    assert_int_equal(runs, 1);
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 5) { runs++; CONFLICT(s); break; } /* left */
    assert_int_equal(runs, 1);
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 5) { runs++; put(s, 1); break; }
    assert_int_equal(runs, 1);
    assert_true(dbm_session_failed(&err));
    assert_int_equal(err.status, DBM_E_LEFT_EARLY);
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 5) { runs++; CONFLICT(s); dbm_rollback(s); } /* asked for */
    assert_int_equal(runs, 1);
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 5) { runs++; dbm_exec(s, NO_TABLE); } /* another try would not cure it */
    assert_int_equal(runs, 1);
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 5) { runs++; bad_child(s); }
    assert_int_equal(runs, 1);
    assert_true(dbm_session_failed(&err));
    assert_int_equal(err.status, DBM_E_CONSTRAINT);
    runs = 0;
    DBM_SESSION_RC(mgr, NULL, outer, &rc) { /* the outer one's snapshot is what is too old */
        DBM_RETRY(mgr, NULL, s, 5) { runs++; CONFLICT(s); }
        assert_int_equal(dbm_status_of(outer), DBM_OK);
        assert_true(dbm_session_failed(&err));
        assert_int_equal(err.status, DBM_E_SERIALIZATION);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(runs, 1);
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 5) { /* a unit that was committed stays; the next one is tried again with the whole body */
        runs++;
        put(s, 1000);
        dbm_commit(s);
        if (runs < 3) CONFLICT(s);
    }
    assert_int_equal(runs, 3);
    assert_int_equal(raw_number("SELECT count(*) FROM t WHERE a >= 1000"), 3);
}

static void *give_back_later(void *ud) {
    sleep_ms(60);
    dbm_session_end((dbm_session *)ud);
    return NULL;
}
static void retry_waits_for_a_connection(void **state) {
    dbm_session hold;
    pthread_t thread;
    int runs = 0;
    (void)state;
    assert_int_equal(dbm_session_begin(single, NULL, &hold), DBM_OK); /* pool_timeout is 20 ms */
    assert_int_equal(pthread_create(&thread, NULL, give_back_later, &hold), 0);
    DBM_RETRY(mgr, "single", s, 50) { (void)s; runs++; }
    pthread_join(thread, NULL);
    assert_int_equal(runs, 1);
    assert_true(stats_of(single).retries > 0);
}

/* ---- cancel and deadlines ---------------------------------------------------------------------------------------------------------- */

static void *cancel_later(void *ud) {
    dbm_session copy = *(dbm_session *)ud;
    sleep_ms(50);
    return dbm_cancel(&copy) == DBM_OK ? ud : NULL;
}

static void cancel_stops_what_runs(void **state) {
    pthread_t thread;
    dbm_session copy;
    dbm_status rc;
    void *said = NULL;
    int64_t began = now_ms();
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        copy = *s;
        put(s, 1);
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &copy), 0);
        assert_int_equal(dbm_exec(s, LONG_QUERY), DBM_E_CANCELLED);
        assert_false(dbm_last_error()->retryable);
        pthread_join(thread, &said);
        assert_non_null(said);
        assert_int_equal(put(s, 2), DBM_E_CANCELLED);
        assert_int_equal(dbm_rollback(s), DBM_OK);
        assert_int_equal(dbm_status_of(s), DBM_E_CANCELLED);
        assert_int_equal(put(s, 3), DBM_E_CANCELLED); /* the session is, not only the statement */
    }
    assert_true(now_ms() - began < 3000);
    assert_int_equal(rc, DBM_E_CANCELLED);
    DBM_FAILED(e) assert_int_equal(e->status, DBM_E_CANCELLED);
    assert_int_equal(rows_kept(), 0);
    assert_int_equal(stats_of(db).broken, 0); /* a polite answer keeps the connection */
    assert_int_equal(dbm_cancel(&copy), DBM_E_MISUSE); /* late: nothing happens to the next one */
    assert_int_equal(stats_of(db).stale_handles, 1);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(put(s, 4), DBM_OK);
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows_kept(), 1);
}

/* What options changed on a connection ends with their session: the next one there is as the configuration says. */
static void options_end_with_their_session(void **state) {
    dbm_status rc;
    int turn;
    (void)state;
    for (turn = 0; turn < 2; turn++) {
        DBM_SESSION_OPT(mgr, "single", s, .read_only = true, .status = &rc) assert_int_equal(put(s, 1), DBM_E_READ_ONLY);
        assert_int_equal(rc, DBM_E_READ_ONLY);
        DBM_SESSION_RC(mgr, "single", s, &rc) assert_int_equal(put(s, 2), DBM_OK);
        assert_int_equal(rc, DBM_OK);
        DBM_SESSION_OPT(mgr, "single", s, .autocommit = true, .status = &rc) { put(s, 3); break; }
        assert_int_equal(rc, DBM_OK);
        DBM_SESSION_RC(mgr, "single", s, &rc) { put(s, 4); break; }
        assert_int_equal(rc, DBM_E_LEFT_EARLY);
        DBM_SESSION_OPT(mgr, "single", s, .timeout_ms = 1, .status = &rc) sleep_ms(5);
        DBM_SESSION_RC(mgr, "single", s, &rc) { sleep_ms(5); put(s, 5); }
        assert_int_equal(rc, DBM_OK);
        DBM_SESSION_OPT(mgr, "single", s, .write = true, .status = &rc) (void)s;
        DBM_SESSION_RC(mgr, "single", s, &rc) { /* reads, and leaves the turn to others */
            dbm_row *row;
            assert_int_equal(dbm_query_one(s, &row, "SELECT count(*) FROM t"), DBM_OK);
            raw_run("BEGIN IMMEDIATE; ROLLBACK");
        }
        assert_int_equal(rc, DBM_OK);
    }
    assert_int_equal(rows_kept(), 6);
}

/* The writes of an inner block that was kept are the outer one's: when that is left early, it says what was dropped. */
static void left_early_counts_inner_writes(void **state) {
    dbm_status rc, inner;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_SESSION_RC(mgr, NULL, s2, &inner) put(s2, 1);
        (void)s;
        break;
    }
    assert_int_equal(inner, DBM_OK);
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_true(dbm_session_failed(NULL));
    assert_int_equal(rows_kept(), 0);
}

/* From the log, which is told of a statement after the session has looked whether it may run, and before it is sent. */
static dbm_session *cancel_in_log;
static void cancelling_log(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    (void)ud; (void)level; (void)database; (void)text;
    if (event_id == DBM_EVENT_STATEMENT && cancel_in_log != NULL) {
        dbm_session *copy = cancel_in_log;
        cancel_in_log = NULL;
        assert_int_equal(dbm_cancel(copy), DBM_OK);
    }
}

static void cancel_between_the_look_and_the_start(void **state) {
    dbm_options options;
    dbm_manager *own = NULL;
    dbm_session copy;
    dbm_status rc;
    dbm_config c = config_of("echoing");
    int rows = 0;
    (void)state;
    memset(&options, 0, sizeof options);
    options.no_env = true;
    options.log = cancelling_log;
    assert_int_equal(dbm_manager_create(&own, &options), DBM_OK);
    c.echo = DBM_ECHO_STATEMENTS;
    c.pool.size = 1;
    assert_int_equal(dbm_add_database(own, &c), DBM_OK);
    DBM_SESSION_RC(own, "echoing", s, &rc) {
        copy = *s;
        cancel_in_log = &copy;
        assert_int_equal(dbm_exec(s, LONG_QUERY), DBM_E_CANCELLED);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    DBM_SESSION_RC(own, "echoing", s, &rc) { /* the next one on this connection has nothing of it */
        DBM_EACH(s, row, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000) SELECT x FROM c") { (void)row; rows++; }
        put(s, 1);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows, 20000);
    dbm_manager_free(own);
    assert_int_equal(rows_kept(), 1);
}

/* A writer that waits for its turn is woken. */
static void cancel_ends_the_wait_for_a_turn(void **state) {
    pthread_t thread;
    dbm_session copy, hand;
    dbm_status rc;
    int64_t began = now_ms();
    (void)state;
    assert_int_equal(dbm_session_begin(db, NULL, &hand), DBM_OK); /* counts as running, so that the wait is no deadlock */
    assert_int_equal(put(&hand, 1), DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        copy = *s;
        assert_int_equal(pthread_create(&thread, NULL, cancel_later, &copy), 0);
        assert_int_equal(put(s, 2), DBM_E_CANCELLED);
        assert_last(DBM_E_CANCELLED, "waiting for its turn to write");
        pthread_join(thread, NULL);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_int_equal(dbm_commit(&hand), DBM_OK);
    dbm_session_end(&hand);
    assert_true(now_ms() - began < 2000);
    assert_int_equal(rows_kept(), 1);
}

static void cancel_between_statements(void **state) {
    dbm_session copy;
    dbm_status rc, inner = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        copy = *s;
        assert_int_equal(dbm_cancel(&copy), DBM_OK);
        assert_int_equal(dbm_status_of(s), DBM_E_CANCELLED);
        assert_int_equal(put(s, 2), DBM_E_CANCELLED);
        assert_last(DBM_E_CANCELLED, "dbm_cancel");
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* after the last statement: it was too late to be noticed, or is noticed; never half of it */
        put(s, 1);
        copy = *s;
        assert_int_equal(dbm_cancel(&copy), DBM_OK);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        assert_int_equal(dbm_cancel(s), DBM_OK);
        assert_int_equal(dbm_commit(s), DBM_E_CANCELLED);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* through the copy of a block that joined */
        DBM_SESSION_RC(mgr, NULL, s2, &inner) {
            copy = *s2;
            put(s2, 1);
            assert_int_equal(dbm_cancel(&copy), DBM_OK);
            assert_int_equal(put(s2, 2), DBM_E_CANCELLED);
        }
        assert_int_equal(put(s, 3), DBM_E_CANCELLED); /* all of it is */
    }
    assert_int_equal(inner, DBM_E_CANCELLED);
    assert_int_equal(rc, DBM_E_CANCELLED);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* or of the outer one, while the inner one is open */
        copy = *s;
        put(s, 0);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) {
            put(s2, 1);
            assert_int_equal(dbm_cancel(&copy), DBM_OK);
            assert_int_equal(put(s2, 2), DBM_E_CANCELLED);
        }
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        int loops = 0;
        DBM_EACH(s, row, "SELECT 1 UNION ALL SELECT 2") {
            (void)row;
            loops++;
            assert_int_equal(dbm_cancel(s), DBM_OK);
        }
        assert_int_equal(loops, 1);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
}

/* A copy is cancelled all the time while sessions write and commit: each is all there or not at all, as its status says. */
typedef struct racing { pthread_mutex_t lock; dbm_session copy; int stop; long hits; } racing;
static void *cancel_always(void *ud) {
    racing *r = (racing *)ud;
    for (;;) {
        dbm_session copy;
        int stop;
        pthread_mutex_lock(&r->lock);
        copy = r->copy;
        stop = r->stop;
        pthread_mutex_unlock(&r->lock);
        if (stop) return NULL;
        if (copy.slot != NULL && dbm_cancel(&copy) == DBM_OK) r->hits++;
        sleep_ms(0);
    }
}
static void cancel_never_breaks_a_commit(void **state) {
    racing r;
    pthread_t thread;
    int64_t good = 0;
    int cancelled = 0;
    (void)state;
    memset(&r, 0, sizeof r);
    pthread_mutex_init(&r.lock, NULL);
    assert_int_equal(pthread_create(&thread, NULL, cancel_always, &r), 0);
    for (int i = 0; i < 400; i++) {
        dbm_status rc;
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            put(s, i);
            pthread_mutex_lock(&r.lock);
            r.copy = *s;
            pthread_mutex_unlock(&r.lock);
            if (i % 2) put(s, i);
            if (i % 3) sleep_ms(0);
        }
        if (rc == DBM_OK) good += i % 2 ? 2 : 1;
        else {
            assert_int_equal(rc, DBM_E_CANCELLED);
            cancelled++;
        }
        assert_int_equal(rows_kept(), good);
    }
    pthread_mutex_lock(&r.lock);
    r.stop = 1;
    pthread_mutex_unlock(&r.lock);
    pthread_join(thread, NULL);
    pthread_mutex_destroy(&r.lock);
    assert_true(r.hits >= cancelled);
    assert_int_equal(stats_of(db).broken, 0);
}

static void deadlines_end_statements(void **state) {
    dbm_status rc, inner;
    int64_t began = now_ms();
    (void)state;
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 100, .status = &rc) {
        put(s, 1);
        assert_int_equal(dbm_exec(s, LONG_QUERY), DBM_E_TIMEOUT);
        assert_int_equal(put(s, 2), DBM_E_TIMEOUT);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_true(now_ms() - began >= 90);
    assert_true(now_ms() - began < 2000);
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 30, .status = &rc) { /* between statements */
        put(s, 1);
        sleep_ms(50);
        assert_int_equal(put(s, 2), DBM_E_TIMEOUT);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 30, .status = &rc) { /* before the commit */
        put(s, 1);
        sleep_ms(50);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    DBM_FAILED(e) assert_int_equal(e->stage, DBM_STAGE_COMMIT);
    assert_int_equal(rows_kept(), 0);
    began = now_ms();
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 20000, .status = &rc) { /* an inner one shortens, and never lengthens */
        put(s, 1);
        DBM_SESSION_OPT(mgr, NULL, s2, .timeout_ms = 100, .status = &inner) {
            put(s2, 2);
            assert_int_equal(dbm_exec(s2, LONG_QUERY), DBM_E_TIMEOUT);
        }
        assert_int_equal(inner, DBM_E_TIMEOUT);
        assert_int_equal(put(s, 4), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_true(now_ms() - began < 2000);
    assert_int_equal(raw_number("SELECT sum(a) FROM t"), 5);
    began = now_ms();
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 100, .status = &rc) {
        DBM_SESSION_OPT(mgr, NULL, s2, .timeout_ms = 20000, .status = &inner) assert_int_equal(dbm_exec(s2, LONG_QUERY), DBM_E_TIMEOUT);
        (void)s;
    }
    assert_true(now_ms() - began < 2000);
    began = now_ms();
    DBM_SESSION(mgr, NULL, s) { /* an inner one shortens one that had none */
        DBM_SESSION_OPT(mgr, NULL, s2, .timeout_ms = 100, .status = &inner) assert_int_equal(dbm_exec(s2, LONG_QUERY), DBM_E_TIMEOUT);
        assert_int_equal(inner, DBM_E_TIMEOUT);
        assert_int_equal(put(s, 8), DBM_OK);
    }
    assert_true(now_ms() - began < 2000);
    began = now_ms();
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 100, .status = &rc) { /* while rows are read */
        int64_t n = 0;
        DBM_EACH(s, row, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c") n = dbm_row_int(row, 0);
        assert_true(n > 0);
        assert_int_equal(dbm_status_of(s), DBM_E_TIMEOUT);
    }
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_true(now_ms() - began < 2000);
    began = now_ms();
    raw_run("BEGIN IMMEDIATE"); /* and while another program writes: not the 5 s of busy_timeout */
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 100, .status = &rc) assert_int_equal(put(s, 9), DBM_E_TIMEOUT);
    raw_run("ROLLBACK");
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_true(now_ms() - began < 2000);
    assert_int_equal(stats_of(db).broken, 0);
}

/* ---- the driver's handle ---------------------------------------------------------------------------------------------------------------- */

static void native_is_the_drivers_handle(void **state) {
    dbm_status rc;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        sqlite3 *native = (sqlite3 *)dbm_native(s, "sqlite");
        assert_non_null(native);
        assert_int_equal(sqlite3_get_autocommit(native), 0); /* the transaction has begun */
        assert_int_equal(sqlite3_exec(native, "INSERT INTO t (a) VALUES (1); CREATE TEMP TABLE mine (x)", NULL, NULL, NULL), SQLITE_OK);
        break; /* it counts as having written */
    }
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    assert_int_equal(rows_kept(), 0);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        sqlite3 *native = (sqlite3 *)dbm_native(s, "sqlite");
        assert_int_equal(sqlite3_exec(native, "INSERT INTO t (a) VALUES (1); CREATE TEMP TABLE mine (x)", NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(dbm_exec(s, "INSERT INTO mine VALUES (1)"), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows_kept(), 1);
    for (int i = 0; i < 3; i++) assert_int_equal(dbm_exec(db, "SELECT * FROM mine"), DBM_E_SQL); /* was reset */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_null(dbm_native(s, "postgresql"));
        assert_last(DBM_E_UNSUPPORTED, "sqlite");
        assert_null(dbm_native(s, NULL));
        assert_non_null(dbm_native(s, "SQLite"));
        put(s, 2);
    }
    assert_int_equal(rc, DBM_OK);
}

/* ---- prepared statements ----------------------------------------------------------------------------------------------------------------- */

static void prepared_statements_live_with_their_session(void **state) {
    dbm_statement *insert = NULL, *select = NULL, *one_st = NULL;
    dbm_status rc;
    dbm_rows *rows;
    dbm_row *row;
    int loops = 0, pairs = 0;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        uint64_t misses;
        assert_int_equal(dbm_prepare(s, "INSERT INTO t (a, b) VALUES (?, ?)", &insert), DBM_OK);
        assert_int_equal(dbm_prepare(s, "SELECT a FROM t WHERE a >= ? ORDER BY a", &select), DBM_OK);
        misses = stats_of(db).cache_misses;
        for (int i = 0; i < 5; i++) assert_int_equal(dbm_stmt_exec(insert, i, "x"), DBM_OK);
        assert_int_equal(stats_of(db).cache_misses, misses);
        assert_int_equal(dbm_affected(s), 1);
        DBM_STMT_EACH(select, r, 2) { loops++; assert_int_equal(dbm_row_int(r, 0), loops + 1); }
        assert_int_equal(loops, 3);
        DBM_STMT_EACH(select, r, 3) { /* the same handle inside itself */
            int64_t from = dbm_row_int(r, 0);
            DBM_STMT_EACH(select, r2, from) { pairs++; assert_true(dbm_row_int(r2, 0) >= from); }
            assert_int_equal(dbm_row_int(r, 0), from);
        }
        assert_int_equal(pairs, 3);
        assert_int_equal(dbm_stmt_query(select, &rows, 4), DBM_OK);
        assert_int_equal(dbm_stmt_query_one(select, &row, 1), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 1);
        assert_int_equal(dbm_rows_next(rows, &row), DBM_OK);
        assert_int_equal(dbm_row_int(row, 0), 4);
        dbm_rows_end(rows);
        assert_int_equal(dbm_stmt_query_one(select, &row, 99), DBM_E_NOT_FOUND);
        assert_int_equal(dbm_commit(s), DBM_OK); /* a commit does not end them */
        assert_int_equal(dbm_stmt_exec(insert, 5, NULL), DBM_OK);
        assert_int_equal(dbm_prepare(s, "SELECT 1", &one_st), DBM_OK);
        DBM_STMT_EACH(one_st, r) assert_int_equal(dbm_row_int(r, 0), 1);
        dbm_stmt_end(one_st);
        assert_int_equal(dbm_stmt_exec(one_st), DBM_E_MISUSE);
        dbm_stmt_end(one_st);
        assert_int_equal(dbm_exec(s, "CREATE TABLE u (x)"), DBM_OK); /* and neither does a new schema */
        assert_int_equal(dbm_stmt_exec(insert, 6, "y"), DBM_OK);
        assert_int_equal(dbm_exec(s, "DROP TABLE u"), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows_kept(), 7);
    assert_int_equal(dbm_stmt_exec(insert, 7, "z"), DBM_E_MISUSE);
    assert_int_equal(dbm_stmt_query(select, &rows, 1), DBM_E_MISUSE);
    DBM_STMT_EACH(select, r, 1) fail_msg("%d", (int)dbm_row_int(r, 0));
    dbm_stmt_end(insert); /* late: nothing */
    DBM_SESSION(mgr, NULL, s) assert_int_equal(dbm_stmt_exec(insert, 8, "z"), DBM_E_MISUSE); /* also in the next session of its slot */
    assert_int_equal(rows_kept(), 7);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* failures of prepare, and through the handle, stick */
        assert_int_equal(dbm_prepare(s, "SELECT nothing", &insert), DBM_E_SQL);
        assert_null(insert);
        assert_int_equal(put(s, 1), DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_prepare(s, "INSERT INTO t (id) VALUES (?)", &insert), DBM_OK);
        assert_int_equal(dbm_stmt_exec(insert), DBM_E_MISUSE); /* no value */
        assert_int_equal(dbm_stmt_exec(insert, 1000), DBM_E_MISUSE);
    }
    assert_int_equal(rc, DBM_E_MISUSE);
    assert_int_equal(rows_kept(), 7);
}

/* ---- a server that does what it is told ------------------------------------------------------------------------------------------------- */

static server *v;

static int serve_on(const char *kind_of) {
    dbm_config config;
    v = server_make();
    mgr = server_manager(NULL);
    memset(&config, 0, sizeof config);
    config.pool.size = 2;
    config.pool.max_overflow = -1;
    config.pool.timeout_ms = 3000;
    db = server_add(mgr, v, kind_of, &config);
    config.name = "alone";
    config.isolation = DBM_AUTOCOMMIT;
    alone = server_add(mgr, v, kind_of, &config);
    dbm_session_failed(NULL);
    return 0;
}
static int serve(void **state) { (void)state; return serve_on("scripted"); }
static int serve_sockets(void **state) { (void)state; return serve_on("socketed"); }
static int serve_serial(void **state) { (void)state; return serve_on("serial"); }
static int serve_steps(void **state) { (void)state; return serve_on("stepped"); }

static int serve_no_more(void **state) {
    (void)state;
    assert_int_equal(stats_of(db).out, 0);
    assert_int_equal(stats_of(alone).out, 0);
    assert_int_equal(stats_of(db).open + stats_of(alone).open, server_live(v));
    assert_int_equal(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    server_end_all();
    mgr = NULL;
    return 0;
}

static void assert_sent(const char *what) {
    assert_string_equal(log_text(v), what);
    log_clear(v);
}

/* One hold before the first statement of any kind that runs inside, none after it; with a backend that has no such need, none for reads. */
static void one_result_at_a_time(void **state) {
    const bool serial = strcmp(db->adapter->type, "serial") == 0;
    dbm_statement *st;
    dbm_row *first;
    dbm_status rc = DBM_E_SQL;
    int rows = 0;
    (void)state;
    dbm_exec(db, "rows 1 x 1"); /* connected */
    log_clear(v);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "rows 3 x 1") {
            dbm_query_one(s, &first, "rows 1 x 1");
            rows++;
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows, 3);
    assert_int_equal(log_count(v, DBM_OP_HOLD, 0), serial ? 1 : 0);
    if (!serial) return;
    log_clear(v);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "rows 2 x 1") DBM_EACH(s, inner, "rows 2 x 1 text") dbm_exec(s, "rows 0 x 1"); /* each result once */
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(log_count(v, DBM_OP_HOLD, 0), 3);
    log_clear(v);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "rows 1 x 1") dbm_prepare(s, "write it", &st);
    assert_int_equal(log_count(v, DBM_OP_HOLD, 0), 1);
    log_clear(v);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_exec(s, "write");
        DBM_SAVEPOINT(s) { dbm_exec(s, "write"); dbm_query_one(s, &first, "rows 1 x 1"); }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(log_count(v, DBM_OP_HOLD, 0), 1); /* the row in hand, before RELEASE */
    log_clear(v);
    plan_fail(v, DBM_OP_HOLD, 1, DBM_E_LIMIT, NULL);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "rows 3 x 1") dbm_query_one(s, &first, "rows 1 x 1");
    assert_int_equal(rc, DBM_E_LIMIT);
    assert_non_null(strstr(dbm_last_error()->message, "can't be kept while another statement runs"));
}

static void only_what_is_needed_is_sent(void **state) {
    dbm_row *row;
    dbm_status rc;
    (void)state;
    dbm_exec(db, "rows 1 x 1"); /* connected */
    log_clear(v);
    DBM_SESSION(mgr, NULL, s) { (void)s; }
    DBM_SESSION(mgr, NULL, s) { (void)s; break; }
    DBM_SESSION(mgr, NULL, s) { dbm_commit(s); dbm_rollback(s); dbm_commit(s); }
    DBM_SESSION(mgr, NULL, s) { DBM_SAVEPOINT(s) { } DBM_SESSION(mgr, NULL, s2) { (void)s2; } }
    assert_sent("");
    DBM_SESSION(mgr, NULL, s) { dbm_query_one(s, &row, "rows 1 x 1"); dbm_exec(s, "write ?", 1); }
    assert_sent("begin1 execute1:rows 1 x 1 execute1:write ? commit1");
    DBM_SESSION(mgr, NULL, s) { dbm_exec(s, "write"); dbm_commit(s); dbm_exec(s, "write"); dbm_rollback(s); dbm_exec(s, "write"); break; }
    assert_sent("begin1 execute1:write commit1 begin1 execute1:write rollback1 begin1 execute1:write rollback1");
    DBM_SESSION(mgr, NULL, s) { dbm_exec(s, "fail 42000"); dbm_exec(s, "write"); dbm_commit(s); }
    assert_sent("begin1 execute1:fail 42000 rollback1");
    DBM_SESSION(mgr, NULL, s) {
        dbm_exec(s, "write 1");
        DBM_SAVEPOINT(s) dbm_exec(s, "write 2");
        DBM_SAVEPOINT(s) dbm_exec(s, "fail 42000");
        dbm_clear_error(s);
        DBM_SESSION(mgr, NULL, s2) dbm_exec(s2, "write 3");
        DBM_SESSION(mgr, NULL, s2) { dbm_exec(s2, "write 4"); break; }
    }
    assert_sent("begin1 execute1:write 1 savepoint1 execute1:write 2 release1 savepoint1 execute1:fail 42000 rollback_to1 "
                "savepoint1 execute1:write 3 release1 savepoint1 execute1:write 4 rollback_to1 commit1");
    DBM_SESSION(mgr, NULL, s) { /* a savepoint in which nothing runs costs nothing, and what is open is sent in order */
        DBM_SAVEPOINT(s) DBM_SAVEPOINT(s) dbm_exec(s, "write");
        DBM_SAVEPOINT(s) { }
    }
    assert_sent("begin1 savepoint1 savepoint1 execute1:write release1 release1 commit1");
    dbm_exec(alone, "rows 1 x 1");
    log_clear(v);
    DBM_SESSION(mgr, "alone", s) { dbm_exec(s, "write"); dbm_exec(s, "fail 42000"); dbm_commit(s); }
    dbm_exec(alone, "write");
    assert_sent("execute2:write execute2:fail 42000 execute2:write");
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = true, .status = &rc) {
        dbm_query_one(s, &row, "rows 1 x 1");
        assert_int_equal(dbm_exec(s, "write"), DBM_E_READ_ONLY);
    }
    assert_int_equal(rc, DBM_E_READ_ONLY);
    assert_sent("begin1 execute1:rows 1 x 1 rollback1");
    /* BEGIN says what the session is. */
    DBM_SESSION_OPT(mgr, NULL, s, .read_only = true) dbm_exec(s, "rows 1 x 1");
    assert_true(v->begun_read_only && !v->begun_write);
    DBM_SESSION_OPT(mgr, NULL, s, .write = true) dbm_exec(s, "rows 1 x 1");
    assert_true(!v->begun_read_only && v->begun_write);
    DBM_SESSION(mgr, NULL, s) dbm_exec(s, "rows 1 x 1");
    assert_true(!v->begun_read_only && !v->begun_write);
}

/* The commit fails in each way, in each form. `alone` is left out: there is no commit. */
static void a_commit_may_fail(void **state) {
    static const struct { plan_action action; dbm_status status, rc; const char *sqlstate; bool lost, retried; } ways[] = {
        { FAIL, DBM_OK, DBM_E_SERIALIZATION, "40001", false, true }, { FAIL, DBM_OK, DBM_E_CONSTRAINT, "23503", false, false },
        { FAIL, DBM_E_ROLLED_BACK, DBM_E_ROLLED_BACK, "", false, false }, { LOSE, DBM_OK, DBM_E_IN_DOUBT, "", true, false },
    };
    uint64_t doubts = 0;
    (void)state;
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        if (forms[f].k != IN_BLOCK || forms[f].autocommit) continue;
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
            for (way how = END; how < WAYS; how++) {
                bool at_end = how == END || how == CONTINUE, retried = ways[w].retried && forms[f].run == form_retry && at_end;
                one c = { how, WRITE, false, (dbm_status)77, 0, 0, false };
                dbm_error_info err;
                dbm_status expected_rc = retried ? DBM_OK : at_end ? ways[w].rc : DBM_E_LEFT_EARLY;
                uint64_t broken = stats_of(db).broken;
                bool failed;
                if (ways[w].action == LOSE) plan(v, DBM_OP_COMMIT, 1, LOSE);
                else if (ways[w].status != DBM_OK) plan_fail(v, DBM_OP_COMMIT, 1, ways[w].status, "");
                else plan_fail(v, DBM_OP_COMMIT, 1, DBM_OK, ways[w].sqlstate);
                forms[f].run(&c);
                plan_clear(v);
                if (ways[w].status == DBM_E_ROLLED_BACK && at_end) { /* as the server has done by then */
                    for (int i = 0; i < 4; i++) if (v->links[i] != NULL) v->links[i]->in_transaction = false;
                }
                failed = dbm_session_failed(&err);
#define HOLDS(cond) if (!(cond)) fail_msg("%s, way %d, commit %d: not %s (rc %d, runs %d)", forms[f].name, (int)how, (int)w, #cond, (int)c.rc, c.runs)
                HOLDS(c.runs == (retried ? 2 : 1));
                HOLDS(!forms[f].has_rc || c.rc == expected_rc);
                HOLDS(failed == (expected_rc != DBM_OK));
                HOLDS(!failed || err.status == expected_rc);
                HOLDS(!failed || !at_end || (err.stage == DBM_STAGE_COMMIT && err.retryable == ways[w].retried));
                HOLDS(stats_of(db).out == 0);
                HOLDS(stats_of(db).broken - broken == (at_end && ways[w].lost ? 1 : 0));
                if (at_end && ways[w].lost) doubts++;
                HOLDS(stats_of(db).in_doubt == doubts);
#undef HOLDS
                DBM_SESSION_RC(mgr, NULL, s, &c.rc) assert_int_equal(put(s, 1), DBM_OK);
                assert_int_equal(c.rc, DBM_OK);
            }
        }
    }
}

static void a_commit_that_was_asked_for_may_fail(void **state) {
    dbm_status rc;
    (void)state;
    plan(v, DBM_OP_COMMIT, 1, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        assert_int_equal(dbm_commit(s), DBM_E_IN_DOUBT);
        assert_int_equal(put(s, 2), DBM_E_IN_DOUBT);
        assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE);
        assert_int_equal(dbm_commit(s), DBM_E_IN_DOUBT);
    }
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    plan(v, DBM_OP_COMMIT, 1, LOSE); /* nothing was written: nothing is in doubt */
    DBM_SESSION_RC(mgr, NULL, s, &rc) read_one(s);
    assert_int_equal(rc, DBM_E_LOST);
    assert_int_equal(stats_of(db).in_doubt, 1);
    plan(v, DBM_OP_COMMIT, 1, DROP); /* no answer to a commit in time */
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 60, .status = &rc) put(s, 1);
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    assert_int_equal(stats_of(db).in_doubt, 2);
    plan(v, DBM_OP_COMMIT, 1, LOSE);
    {
        int runs = 0;
        DBM_RETRY(mgr, NULL, s, 5) { runs++; put(s, 1); }
        assert_int_equal(runs, 1); /* never by itself */
    }
    assert_true(dbm_session_failed(NULL));
    plan_fail(v, DBM_OP_COMMIT, 1, DBM_OK, "40001"); /* what was committed before stays, and the unit after it too */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        assert_int_equal(dbm_commit(s), DBM_E_SERIALIZATION);
        assert_int_equal(dbm_rollback(s), DBM_OK);
        assert_int_equal(put(s, 2), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
}

/* Without a transaction a statement that writes is done when its last row has come; lost before that, it may be done or not. */
static void a_write_lost_among_its_rows_is_in_doubt(void **state) {
    dbm_status rc;
    dbm_rows *rows;
    int runs = 0;
    (void)state;
    plan(v, DBM_OP_FETCH, 2, LOSE);
    assert_int_equal(dbm_exec(alone, "rows 3 x 1 write"), DBM_E_IN_DOUBT);
    assert_false(dbm_last_error()->retryable);
    plan(v, DBM_OP_FETCH, 2, LOSE);
    assert_int_equal(dbm_query(alone, &rows, "rows 3 x 1 write"), DBM_OK);
    assert_int_equal(dbm_rows_next(rows, NULL), DBM_OK);
    assert_int_equal(dbm_rows_next(rows, NULL), DBM_E_IN_DOUBT);
    dbm_rows_end(rows);
    plan(v, DBM_OP_FETCH, 2, LOSE);
    DBM_RETRY(mgr, "alone", s, 3) {
        runs++;
        DBM_EACH(s, row, "rows 3 x 1 write") (void)row;
    }
    assert_int_equal(runs, 1);
    DBM_FAILED(e) assert_int_equal(e->status, DBM_E_IN_DOUBT);
    plan(v, DBM_OP_FETCH, 2, LOSE);
    DBM_SESSION_RC(mgr, "alone", s, &rc) DBM_EACH(s, row, "rows 3 x 1") (void)row; /* what only reads is lost */
    assert_int_equal(rc, DBM_E_LOST);
    plan(v, DBM_OP_FETCH, 2, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "rows 3 x 1 write") (void)row; /* and a transaction is, whatever it wrote */
    assert_int_equal(rc, DBM_E_LOST);
}

static void a_dead_connection_is_replaced_before_anything_was_sent(void **state) {
    dbm_status rc;
    dbm_row *row;
    dbm_statement *st;
    dbm_session_options options;
    (void)state;
    put(NULL, 0);
    dbm_exec(db, "rows 1 x 1");
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(put(s, 1), DBM_OK); /* nothing can have been committed */
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(v->connections, 2);
    plan(v, DBM_OP_BEGIN, 1, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(put(s, 1), DBM_OK);
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(v->connections, 3);
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* also for a prepared handle, and for each unit */
        assert_int_equal(dbm_prepare(s, "write ?", &st), DBM_OK);
        assert_int_equal(dbm_stmt_exec(st, 1), DBM_OK);
        assert_int_equal(dbm_commit(s), DBM_OK);
        plan(v, DBM_OP_EXECUTE, 1, LOSE);
        assert_int_equal(dbm_stmt_exec(st, 2), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(v->connections, 5);
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(dbm_query_one(s, &row, "rows 1 x 1"), DBM_OK);
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(v->connections, 6);
    for (int i = 0; i < 4; i++) { /* also when the statement is well known */
        if (i == 2) plan(v, DBM_OP_EXECUTE, 1, LOSE);
        if (i == 3) plan(v, DBM_OP_BEGIN, 1, LOSE);
        DBM_SESSION_RC(mgr, NULL, s, &rc) read_one(s);
        assert_int_equal(rc, DBM_OK);
    }
    assert_int_equal(v->connections, 8);
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* also with values by name, in an order of their own */
        assert_int_equal(dbm_exec(s, "write :one, :two", dbm_named("two", dbm_int(2)), dbm_named("one", dbm_int(1))), DBM_OK);
        assert_string_equal(v->first_value, "1");
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(v->connections, 9);
    plan(v, DBM_OP_EXECUTE, 2, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* the second statement's loss is a loss */
        assert_int_equal(put(s, 1), DBM_OK);
        assert_int_equal(put(s, 2), DBM_E_LOST);
        assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE);
    }
    assert_int_equal(rc, DBM_E_LOST);
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    plan(v, DBM_OP_EXECUTE, 2, LOSE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(put(s, 1), DBM_E_LOST); /* once */
    assert_int_equal(rc, DBM_E_LOST);
    {
        int runs = 0;
        plan_fail(v, DBM_OP_EXECUTE, 2, DBM_OK, "08006"); /* of a class that may be tried again */
        DBM_RETRY(mgr, NULL, s, 3) { runs++; put(s, 1); put(s, 2); }
        assert_int_equal(runs, 2);
        assert_false(dbm_session_failed(NULL));
    }
    /* Without a transaction: a read is sent again, a write may have been done. */
    plan_clear(v);
    dbm_exec(alone, "rows 1 x 1");
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    DBM_SESSION_RC(mgr, "alone", s, &rc) read_one(s);
    assert_int_equal(rc, DBM_OK);
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    DBM_SESSION_RC(mgr, "alone", s, &rc) assert_int_equal(put(s, 1), DBM_E_IN_DOUBT);
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    plan(v, DBM_OP_EXECUTE, 1, LOSE);
    assert_int_equal(dbm_exec(db, "write"), DBM_E_IN_DOUBT);
    v->deaf = true; /* silent also when it is told to stop */
    plan(v, DBM_OP_EXECUTE, 1, DROP);
    memset(&options, 0, sizeof options);
    options.timeout_ms = 60;
    options.status = &rc;
    DBM_SESSION_WITH(mgr, "alone", s, &options) assert_int_equal(put(s, 1), DBM_E_IN_DOUBT); /* the deadline passed after it was sent */
    assert_int_equal(rc, DBM_E_IN_DOUBT);
    plan(v, DBM_OP_EXECUTE, 1, DROP);
    DBM_SESSION_WITH(mgr, "alone", s, &options) assert_int_equal(dbm_query_one(s, &row, "rows 1 x 1"), DBM_E_TIMEOUT);
    assert_int_equal(rc, DBM_E_TIMEOUT);
    plan(v, DBM_OP_EXECUTE, 1, DROP);
    DBM_SESSION_WITH(mgr, NULL, s, &options) assert_int_equal(put(s, 1), DBM_E_TIMEOUT); /* in a transaction it is known */
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_int_equal(stats_of(alone).in_doubt, 2);
    assert_int_equal(stats_of(db).in_doubt, 1);
}

static void connections_die_anywhere(void **state) {
    dbm_status rc, inner;
    int loops = 0;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* in mid-result */
        put(s, 1);
        DBM_EACH(s, row, "rows 5 x 1") {
            (void)dbm_row_int(row, 0);
            if (++loops == 2) server_kill(v, 0);
        }
        assert_int_equal(dbm_status_of(s), DBM_E_LOST);
    }
    assert_int_equal(rc, DBM_E_LOST);
    assert_int_equal(loops, 2);
    plan(v, DBM_OP_ROLLBACK, 1, LOSE); /* at the rollback: it can't be kept, and nothing was */
    DBM_SESSION_RC(mgr, NULL, s, &rc) { put(s, 1); dbm_rollback(s); }
    assert_int_equal(rc, DBM_ROLLED_BACK);
    plan_fail(v, DBM_OP_ROLLBACK, 1, DBM_E_SQL, "");
    DBM_SESSION_RC(mgr, NULL, s, &rc) { put(s, 1); break; }
    assert_int_equal(rc, DBM_E_LEFT_EARLY);
    plan_fail(v, DBM_OP_ROLLBACK, 1, DBM_E_SQL, ""); /* what follows a rollback that failed runs on another connection */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        long before = v->connections;
        put(s, 1);
        assert_int_equal(dbm_rollback(s), DBM_OK);
        assert_int_equal(put(s, 2), DBM_OK);
        assert_int_equal(v->connections, before + 1);
    }
    assert_int_equal(rc, DBM_OK);
    plan(v, DBM_OP_EXECUTE, 2, DROP); /* so does what follows a statement whose answer may still come */
    v->deaf = true;
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 300, .status = &rc) {
        long before = v->connections;
        put(s, 1);
        v->links[0]->cancelled = false;
        assert_int_equal(put(s, 2), DBM_E_TIMEOUT);
        assert_int_equal(dbm_clear_error(s), DBM_E_MISUSE);
        dbm_rollback(s);
        assert_true(v->connections == before + 1 || dbm_status_of(s) != DBM_OK);
    }
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* an inner block's connection is the outer one's: all of it is lost */
        put(s, 1);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) {
            put(s2, 2);
            server_kill(v, 0);
            assert_int_equal(put(s2, 3), DBM_E_LOST);
            assert_int_equal(dbm_rollback(s2), DBM_E_LOST);
            assert_int_equal(put(s2, 4), DBM_E_LOST);
        }
        assert_int_equal(inner, DBM_E_LOST);
        assert_int_equal(dbm_status_of(s), DBM_E_LOST);
    }
    assert_int_equal(rc, DBM_E_LOST); /* and not in doubt */
    assert_int_equal(stats_of(db).in_doubt, 0);
    assert_int_equal(server_live(v), stats_of(db).open);
    plan_fail(v, DBM_OP_RELEASE, 1, DBM_OK, "23503"); /* a savepoint that can't be kept is undone */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_SAVEPOINT_RC(s, &inner) put(s, 2);
        assert_int_equal(inner, DBM_E_CONSTRAINT);
        assert_int_equal(put(s, 3), DBM_E_CONSTRAINT);
    }
    assert_int_equal(rc, DBM_E_CONSTRAINT);
    plan_fail(v, DBM_OP_ROLLBACK_TO, 1, DBM_E_SQL, ""); /* what can't be undone must not be committed by the block outside */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) { put(s2, 2); dbm_exec(s2, "fail 42000"); }
        assert_int_equal(inner, DBM_E_SQL);
        assert_int_equal(put(s, 3), DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    plan_fail(v, DBM_OP_ROLLBACK_TO, 1, DBM_E_SQL, "");
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_SESSION_RC(mgr, NULL, s2, &inner) { put(s2, 2); break; }
    }
    assert_int_equal(rc, DBM_E_SQL);
    plan_fail(v, DBM_OP_ROLLBACK_TO, 1, DBM_E_SQL, "");
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_SAVEPOINT(s) { put(s, 2); break; }
    }
    assert_int_equal(rc, DBM_E_SQL);
    plan_fail(v, DBM_OP_SAVEPOINT, 1, DBM_E_SQL, "");
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        DBM_SAVEPOINT(s) assert_int_equal(put(s, 2), DBM_E_SQL);
    }
    assert_int_equal(rc, DBM_E_SQL);
    DBM_SESSION_RC(mgr, NULL, s, &rc) put(s, 1);
    assert_int_equal(rc, DBM_OK);
}

static void *cancel_at_once(void *ud) {
    dbm_session copy = *(dbm_session *)ud;
    server_wait_blocked(v, 1);
    dbm_cancel(&copy);
    server_release(v);
    return NULL;
}
static void a_cancel_finds_the_commit_and_leaves_it_alone(void **state) {
    pthread_t thread;
    dbm_session copy;
    dbm_status rc;
    (void)state;
    plan(v, DBM_OP_COMMIT, 1, BLOCK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        put(s, 1);
        copy = *s;
        CHECK(pthread_create(&thread, NULL, cancel_at_once, &copy) == 0);
    }
    pthread_join(thread, NULL);
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(server_count(v, ON_CANCEL), 0);
    plan(v, DBM_OP_COMMIT, 1, BLOCK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* one that was asked for; what comes after it is cancelled */
        put(s, 1);
        copy = *s;
        CHECK(pthread_create(&thread, NULL, cancel_at_once, &copy) == 0);
        assert_int_equal(dbm_commit(s), DBM_OK);
        pthread_join(thread, NULL);
        assert_int_equal(put(s, 2), DBM_E_CANCELLED);
    }
    assert_int_equal(rc, DBM_E_CANCELLED);
    assert_int_equal(server_count(v, ON_CANCEL), 0);
    plan(v, DBM_OP_EXECUTE, 1, BLOCK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) { /* a statement is told */
        copy = *s;
        CHECK(pthread_create(&thread, NULL, cancel_at_once, &copy) == 0);
        put(s, 1);
        pthread_join(thread, NULL);
    }
    assert_int_equal(server_count(v, ON_CANCEL), 1);
    assert_int_equal(rc, DBM_E_CANCELLED);
}

static void retry_waits_between_attempts(void **state) {
    int runs = 0;
    int64_t began;
    (void)state;
    plan_fail(v, DBM_OP_COMMIT, 0, DBM_OK, "40001");
    began = now_ms();
    DBM_RETRY(mgr, NULL, s, 6) { runs++; put(s, 1); }
    assert_int_equal(runs, 6);
    assert_int_equal(stats_of(db).retries, 5);
    assert_true(now_ms() - began < 2000);
    assert_true(dbm_session_failed(NULL));
    assert_int_equal(v->commits, 0);
    plan_clear(v);
    plan_fail(v, DBM_OP_EXECUTE, 1, DBM_OK, "40P01");
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 6) { runs++; put(s, 1); }
    assert_int_equal(runs, 2);
    assert_false(dbm_session_failed(NULL));
    runs = 0;
    DBM_RETRY(mgr, NULL, s, 1000000) { /* no more than 100 */
        runs++;
        if (runs < 3) dbm_exec(s, "fail 40001");
    }
    assert_int_equal(runs, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, open_all, close_all)
        T(every_way_out_of_every_form),
        T(a_rollback_that_was_asked_for),
        T(left_early_names_the_block),
        T(no_checkout_no_body),
        T(failed_is_a_loop_and_reading_clears),
        T(failed_belongs_to_the_thread),
        T(blocks_stand_anywhere),
        T(later_statements_say_the_same),
        T(the_first_failure_is_kept),
        T(getters_and_scans_stick),
        T(done_and_not_found_do_not_stick),
        T(a_failure_ends_the_loop_it_is_in),
        T(null_is_taken_everywhere),
        T(a_savepoint_is_kept_or_undone_alone),
        T(a_failed_savepoint_fails_the_session_unless_cleared),
        T(savepoints_nest),
        T(savepoints_and_rows_are_left_together),
        T(clear_error_without_a_transaction),
        T(commit_is_not_for_loops_and_savepoints),
        T(transactions_belong_to_the_session),
        T(inner_blocks_join),
        T(inner_blocks_leave_nothing_behind),
        T(the_outer_handle_rests),
        T(options_of_a_joined_block),
        T(separate_takes_its_own),
        T(other_databases_do_not_join),
        T(blocks_join_without_transactions_too),
        T(rows_of_an_inner_block_end_with_it),
        T(by_hand_never_joins),
        T(late_and_double_ends_do_nothing),
        T(calls_on_a_database),
        T(rows_on_a_database_go_back_by_return),
        T(retry_runs_again_after_a_conflict),
        T(retry_knows_its_bounds),
        T(retry_waits_for_a_connection),
        T(cancel_stops_what_runs),
        T(options_end_with_their_session),
        T(left_early_counts_inner_writes),
        T(cancel_between_the_look_and_the_start),
        T(cancel_ends_the_wait_for_a_turn),
        T(cancel_between_statements),
        T(cancel_never_breaks_a_commit),
        T(deadlines_end_statements),
        T(native_is_the_drivers_handle),
        T(prepared_statements_live_with_their_session),
#define S(f, setup) cmocka_unit_test_setup_teardown(f, setup, serve_no_more)
        S(only_what_is_needed_is_sent, serve),
        S(one_result_at_a_time, serve),
        S(one_result_at_a_time, serve_serial),
        S(a_commit_may_fail, serve),
        S(a_commit_may_fail, serve_steps),
        S(a_commit_that_was_asked_for_may_fail, serve),
        S(a_commit_that_was_asked_for_may_fail, serve_steps),
        S(a_dead_connection_is_replaced_before_anything_was_sent, serve),
        S(a_dead_connection_is_replaced_before_anything_was_sent, serve_sockets),
        S(a_dead_connection_is_replaced_before_anything_was_sent, serve_steps),
        S(a_write_lost_among_its_rows_is_in_doubt, serve),
        S(a_write_lost_among_its_rows_is_in_doubt, serve_steps),
        S(connections_die_anywhere, serve),
        S(connections_die_anywhere, serve_steps),
        S(a_cancel_finds_the_commit_and_leaves_it_alone, serve),
        S(retry_waits_between_attempts, serve),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
