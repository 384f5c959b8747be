/* Threads, databases and processes on one SQLite file: writers take turns and nobody sees "busy", what readers see adds up, conflicts are retried,
 * a child of a fork starts anew. */
#include "dbm_test.h"
#include <sqlite3.h>
#include <sys/wait.h>
#include <time.h>

enum { THREADS = 8, ACCOUNTS = 20, TOTAL = 1000 * ACCOUNTS, MOST_MS = 1200 };

static test_dir dir;
static dbm_manager *mgr;
static dbm_database *db, *twin;

/* Set by threads, looked at after them. */
static long failures, transfers, reads, retried, first_reads;
static char first_failure[400];
static pthread_mutex_t failure_lock = PTHREAD_MUTEX_INITIALIZER;
static int stop;

/* cmocka belongs to the main thread; the others note what goes wrong. */
static void note(int line, const char *what, const char *message) {
    pthread_mutex_lock(&failure_lock);
    if (failures++ == 0) snprintf(first_failure, sizeof first_failure, "line %d: %s: %s", line, what, message);
    pthread_mutex_unlock(&failure_lock);
}
#define EXPECT(cond) do { if (!(cond)) note(__LINE__, #cond, dbm_last_error()->message); } while (0)
#define COUNT(counter) ((void)__atomic_add_fetch(&(counter), 1, __ATOMIC_RELAXED))
static void assert_no_failures(void) {
    if (failures != 0) fail_msg("%ld failures, the first: %s", failures, first_failure);
}

static int64_t file_number(const char *name, const char *sql) {
    sqlite3 *raw;
    sqlite3_stmt *stmt = NULL;
    int64_t n;
    assert_int_equal(sqlite3_open(test_dir_file(&dir, name), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    n = sqlite3_column_type(stmt, 0) == SQLITE_TEXT ? strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") == 0 : sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(raw);
    return n;
}

static void open_file(const char *name) {
    dbm_options options;
    dbm_config c;
    static const dbm_option settings[] = { { "synchronous", "normal" }, { "busy_timeout", "20s" } };
    failures = transfers = reads = retried = first_reads = 0;
    first_failure[0] = 0;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    memset(&options, 0, sizeof options);
    memset(&c, 0, sizeof c);
    options.no_env = true;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    c.url = test_dir_url(&dir, name);
    c.pool.size = 5; /* less than there are threads */
    c.pool.max_overflow = 1;
    c.options = settings;
    c.option_count = 2;
    assert_int_equal(dbm_add_database(mgr, &c), DBM_OK);
    c.name = "twin"; /* the same file under another name */
    assert_int_equal(dbm_add_database(mgr, &c), DBM_OK);
    assert_int_equal(dbm_init_all(mgr), DBM_OK);
    db = dbm_get(mgr, NULL);
    twin = dbm_get(mgr, "twin");
    assert_true(db != NULL && twin != NULL);
    assert_int_equal(dbm_script(db, "CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, n INTEGER NOT NULL); CREATE TABLE IF NOT EXISTS log (a, b, n)"), DBM_OK);
    DBM_SESSION(mgr, NULL, s) for (int i = 1; i <= ACCOUNTS; i++) dbm_exec(s, "INSERT OR IGNORE INTO account VALUES (?, 1000)", i);
    assert_false(dbm_session_failed(NULL));
}

static int make_dir(void **state) {
    (void)state;
    test_dir_make(&dir);
    mgr = NULL;
    return 0;
}
static int end_all(void **state) {
    (void)state;
    if (mgr != NULL) {
        dbm_stats_info a, b;
        dbm_stats(db, &a);
        dbm_stats(twin, &b);
        assert_int_equal(a.out + b.out + a.waiting + b.waiting, 0);
        assert_int_equal(dbm_close_all(mgr), DBM_OK);
        dbm_manager_free(mgr);
        mgr = NULL;
    }
    test_dir_remove(&dir);
    return 0;
}

static unsigned dice(unsigned *seed, unsigned sides) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % sides;
}

/* Moves money. It may read first, and then be told that its snapshot is too old: that is for DBM_RETRY, everything else is wrong. */
static void transfer(const char *name, unsigned *seed) {
    int from = 1 + (int)dice(seed, ACCOUNTS), to = 1 + (int)dice(seed, ACCOUNTS), n = 1 + (int)dice(seed, 9), reads_first = (int)dice(seed, 2), runs = 0, good = 0;
    DBM_RETRY(mgr, name, s, 100) {
        int64_t have = 0;
        dbm_status st;
        runs++;
        good = 0;
        if (reads_first) {
            dbm_row *row;
            EXPECT(dbm_query_one(s, &row, "SELECT n FROM account WHERE id = ?", from) == DBM_OK);
            have = dbm_row_int(row, 0);
            COUNT(first_reads);
        }
        st = reads_first ? dbm_exec(s, "UPDATE account SET n = ? WHERE id = ?", have - n, from) : dbm_exec(s, "UPDATE account SET n = n - ? WHERE id = ?", n, from);
        if (st == DBM_E_SERIALIZATION) {
            EXPECT(reads_first && dbm_last_error()->retryable);
            COUNT(retried);
            continue;
        }
        EXPECT(st == DBM_OK);
        EXPECT(dbm_exec(s, "UPDATE account SET n = n + ? WHERE id = ?", n, to) == DBM_OK);
        EXPECT(dbm_exec(s, "INSERT INTO log VALUES (?, ?, ?)", from, to, n) == DBM_OK);
        good = 1;
    }
    DBM_FAILED(e) note(__LINE__, "a transfer failed", e->message);
    EXPECT(good);
    if (good) COUNT(transfers);
}

static void add_up(const char *name) {
    dbm_status rc;
    DBM_SESSION_OPT(mgr, name, s, .read_only = true, .status = &rc) {
        int64_t sum = 0, again = -1;
        int rows = 0;
        DBM_EACH(s, row, "SELECT n FROM account") { sum += dbm_row_int(row, 0); rows++; }
        EXPECT(rows == ACCOUNTS);
        EXPECT(sum == TOTAL);
        DBM_EACH(s, row, "SELECT sum(n) FROM account") again = dbm_row_int(row, 0);
        EXPECT(again == TOTAL);
    }
    EXPECT(rc == DBM_OK);
    COUNT(reads);
}

typedef struct job { pthread_t thread; const char *name; unsigned seed; int writes; } job;

static void *work(void *ud) {
    job *j = (job *)ud;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        if (j->writes) transfer(j->name, &j->seed);
        else add_up(j->name);
    }
    return NULL;
}

static void run_jobs(int ms, bool two_names) {
    job jobs[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i].name = two_names && i % 2 ? "twin" : NULL;
        jobs[i].seed = (unsigned)i * 7919u + 1u;
        jobs[i].writes = i < THREADS / 2 || i == THREADS - 1;
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]), 0);
    }
    test_pause_ms(ms);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < THREADS; i++) pthread_join(jobs[i].thread, NULL);
    assert_no_failures();
    assert_true(transfers > 0 && reads > 0 && first_reads > 0);
}

static void check_file(const char *name) {
    assert_int_equal(file_number(name, "PRAGMA integrity_check"), 1);
    assert_int_equal(file_number(name, "SELECT sum(n) FROM account"), TOTAL);
    assert_int_equal(file_number(name, "SELECT count(*) FROM log"), transfers);
    assert_int_equal(file_number(name, "SELECT count(*) FROM account a WHERE n != 1000 - (SELECT coalesce(sum(n), 0) FROM log WHERE a = a.id) + (SELECT coalesce(sum(n), 0) FROM log WHERE b = a.id)"), 0);
}

static void writers_and_readers(void **state) {
    (void)state;
    open_file("wal.db");
    assert_int_equal(file_number("wal.db", "SELECT 1 FROM pragma_journal_mode WHERE journal_mode = 'wal'"), 1);
    run_jobs(MOST_MS, false);
    assert_true(retried > 0); /* those that read first do meet others */
    check_file("wal.db");
}

static void two_databases_on_one_file(void **state) {
    (void)state;
    open_file("wal.db");
    run_jobs(MOST_MS, true);
    check_file("wal.db");
}

static void an_existing_file_keeps_its_mode(void **state) {
    sqlite3 *raw;
    (void)state;
    assert_int_equal(sqlite3_open(test_dir_file(&dir, "old.db"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "PRAGMA journal_mode = delete; CREATE TABLE older (x); INSERT INTO older VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(raw);
    open_file("old.db");
    run_jobs(MOST_MS / 2, true);
    check_file("old.db");
    assert_int_equal(file_number("old.db", "SELECT journal_mode = 'delete' FROM pragma_journal_mode"), 1);
    assert_int_equal(file_number("old.db", "SELECT x FROM older"), 1);
}

/* One that wrote first waits for its turn however long; one that read first is told at once that it must read again. */
typedef struct turn { const char *name; int reads_first; int64_t waited_ms; dbm_status status, rc; int at; } turn;
static int started;
static void *take_turn(void *ud) {
    turn *t = (turn *)ud;
    DBM_SESSION_RC(mgr, t->name, s, &t->rc) {
        int64_t began;
        dbm_row *row;
        if (t->reads_first) EXPECT(dbm_query_one(s, &row, "SELECT n FROM account WHERE id = 1") == DBM_OK);
        __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
        began = test_now_ms();
        t->status = dbm_exec(s, "UPDATE account SET n = n + 1 WHERE id = 1");
        t->waited_ms = test_now_ms() - began;
    }
    return NULL;
}

static turn against_a_writer(const char *name, int reads_first, bool commits) {
    pthread_t thread;
    turn t = { name, reads_first, 0, DBM_OK, DBM_OK, 0 };
    DBM_SESSION(mgr, NULL, s) {
        EXPECT(dbm_exec(s, "UPDATE account SET n = n + 10 WHERE id = 1") == DBM_OK);
        __atomic_store_n(&started, 0, __ATOMIC_RELEASE);
        assert_int_equal(pthread_create(&thread, NULL, take_turn, &t), 0);
        while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE)) test_pause_ms(1);
        test_pause_ms(120);
        if (!commits) dbm_rollback(s);
    }
    pthread_join(thread, NULL);
    assert_no_failures();
    return t;
}

static void the_rule_of_serialization(void **state) {
    turn t;
    (void)state;
    open_file("wal.db");
    t = against_a_writer(NULL, 0, true);
    assert_int_equal(t.rc, DBM_OK);
    assert_true(t.waited_ms >= 80);
    t = against_a_writer("twin", 0, true); /* the queue is the file's */
    assert_int_equal(t.rc, DBM_OK);
    assert_true(t.waited_ms >= 80);
    t = against_a_writer(NULL, 1, true);
    assert_int_equal(t.status, DBM_E_SERIALIZATION);
    assert_int_equal(t.rc, DBM_E_SERIALIZATION);
    t = against_a_writer(NULL, 1, false); /* the other one did not commit: nothing was changed under it */
    assert_int_equal(t.status, DBM_OK);
    assert_int_equal(t.rc, DBM_OK);
    assert_int_equal(file_number("wal.db", "SELECT n FROM account WHERE id = 1"), 1000 + 10 + 1 + 10 + 1 + 10 + 1);
    DBM_SESSION(mgr, NULL, s) { /* alone it is never told so */
        dbm_row *row;
        for (int i = 0; i < 3; i++) {
            assert_int_equal(dbm_query_one(s, &row, "SELECT n FROM account WHERE id = 1"), DBM_OK);
            assert_int_equal(dbm_exec(s, "UPDATE account SET n = n + 1 WHERE id = 1"), DBM_OK);
            assert_int_equal(dbm_commit(s), DBM_OK);
        }
    }
    assert_false(dbm_session_failed(NULL));
}

/* Another program holds the file: that is what busy_timeout is for. */
static void other_programs_are_waited_for(void **state) {
    sqlite3 *raw;
    dbm_status rc;
    int64_t began;
    (void)state;
    open_file("wal.db");
    assert_int_equal(sqlite3_open(test_dir_file(&dir, "wal.db"), &raw), SQLITE_OK);
    assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE; INSERT INTO log VALUES (0, 0, 0)", NULL, NULL, NULL), SQLITE_OK);
    began = test_now_ms();
    DBM_SESSION_OPT(mgr, NULL, s, .timeout_ms = 150, .status = &rc) assert_int_equal(dbm_exec(s, "INSERT INTO log VALUES (1, 1, 1)"), DBM_E_TIMEOUT);
    assert_int_equal(rc, DBM_E_TIMEOUT);
    assert_true(test_now_ms() - began >= 100 && test_now_ms() - began < 3000);
    DBM_SESSION_RC(mgr, NULL, s, &rc) assert_int_equal(dbm_exec(s, "SELECT count(*) FROM log"), DBM_OK); /* readers don't wait */
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) dbm_exec(s, "INSERT INTO log VALUES (1, 1, 1)");
    assert_int_equal(rc, DBM_OK);
    sqlite3_close(raw);
}

/* The child must not use what is the parent's, and finds everything by itself. Exit codes tell the parent what went wrong. */
static int child(dbm_session *open_before) {
    dbm_status rc;
    if (open_before != NULL) {
        if (dbm_exec(open_before, "INSERT INTO log VALUES (9, 9, 9)") != DBM_E_FORKED) return 2;
        if (dbm_commit(open_before) != DBM_E_FORKED) return 3;
        if (dbm_session_end(open_before) != DBM_E_FORKED) return 4;
    }
    for (int i = 0; i < 50; i++) {
        DBM_SESSION_RC(mgr, i % 2 ? "twin" : NULL, s, &rc) dbm_exec(s, "INSERT INTO log VALUES ('child', ?, 1)", i);
        if (rc != DBM_OK) {
            fprintf(stderr, "child: %s\n", dbm_last_error()->message);
            return 5;
        }
    }
    if (dbm_close_all(mgr) != DBM_OK) return 6;
    dbm_manager_free(mgr);
    return 0;
}

static void fork_and_write(bool with_open_session) {
    dbm_session open_one;
    dbm_status rc;
    pid_t pid;
    int status = 0;
    if (with_open_session) {
        assert_int_equal(dbm_session_begin(db, NULL, &open_one), DBM_OK);
        assert_int_equal(dbm_exec(&open_one, "SELECT count(*) FROM log"), DBM_OK); /* reads only: a writer would shut the child out */
    }
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(child(with_open_session ? &open_one : NULL));
    for (int i = 0; i < 50; i++) {
        DBM_SESSION_RC(mgr, i % 2 ? "twin" : NULL, s, &rc) dbm_exec(s, "INSERT INTO log VALUES ('parent', ?, 1)", i);
        assert_int_equal(rc, DBM_OK);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    if (with_open_session) {
        assert_int_equal(dbm_exec(&open_one, "SELECT count(*) FROM log"), DBM_OK); /* the parent's is as it was */
        assert_int_equal(dbm_session_end(&open_one), DBM_OK);
    }
    DBM_SESSION_RC(mgr, NULL, s, &rc) dbm_exec(s, "INSERT INTO log VALUES ('after', 0, 1)");
    assert_int_equal(rc, DBM_OK);
}

static void a_fork_with_an_idle_pool(void **state) {
    (void)state;
    open_file("wal.db");
    DBM_SESSION(mgr, NULL, s) DBM_SESSION_OPT(mgr, NULL, s2, .separate = true) { dbm_exec(s, "SELECT 1"); dbm_exec(s2, "SELECT 1"); } /* two of them */
    fork_and_write(false);
    fork_and_write(false);
    assert_int_equal(file_number("wal.db", "SELECT count(*) FROM log WHERE a = 'child'"), 100);
    assert_int_equal(file_number("wal.db", "SELECT count(*) FROM log WHERE a = 'parent'"), 100);
    assert_int_equal(file_number("wal.db", "SELECT count(*) FROM log WHERE a = 'after'"), 2);
    assert_int_equal(file_number("wal.db", "PRAGMA integrity_check"), 1);
}

static void a_fork_with_a_session_open(void **state) {
    (void)state;
    open_file("wal.db");
    fork_and_write(true);
    assert_int_equal(file_number("wal.db", "SELECT count(*) FROM log WHERE a = 'child'"), 50);
    assert_int_equal(file_number("wal.db", "SELECT count(*) FROM log WHERE a = 'parent'"), 50);
    assert_int_equal(file_number("wal.db", "PRAGMA integrity_check"), 1);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------------------- */

/* SQLite's syncs come here. One of the main thread, while `disk_waits`, lasts until another thread has written, or half a second. */
static pthread_t main_thread, beside;
static int disk_waits, beside_started, beside_done, beside_in_time;

static void *write_beside(void *ud) {
    (void)ud;
    EXPECT(dbm_exec(db, "INSERT INTO log VALUES ('beside', 0, 0)") == DBM_OK);
    __atomic_store_n(&beside_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

int fdatasync(int fd) {
    if (__atomic_load_n(&disk_waits, __ATOMIC_ACQUIRE) && pthread_equal(pthread_self(), main_thread)) {
        __atomic_store_n(&disk_waits, 0, __ATOMIC_RELEASE);
        beside_started = 1;
        __atomic_store_n(&beside_done, 0, __ATOMIC_RELEASE);
        if (pthread_create(&beside, NULL, write_beside, NULL) != 0) abort();
        for (int i = 0; i < 500 && !__atomic_load_n(&beside_done, __ATOMIC_ACQUIRE); i++) test_pause_ms(1);
        beside_in_time = __atomic_load_n(&beside_done, __ATOMIC_ACQUIRE);
    }
    return fsync(fd);
}

static void begin_with_an_empty_wal(void) {
    open_file("wal.db");
    main_thread = pthread_self();
    assert_int_equal(file_number("wal.db", "PRAGMA wal_checkpoint"), 0);
    assert_int_equal(dbm_exec(db, "INSERT INTO log VALUES (0, 0, 0)"), DBM_OK); /* syncs the head of the new WAL */
}
/* Whether something was synced within this thread's insert, and another thread meanwhile was to write one. */
static bool synced_within(const char *insert) {
    beside_started = 0;
    __atomic_store_n(&disk_waits, 1, __ATOMIC_RELEASE);
    assert_int_equal(dbm_exec(db, insert), DBM_OK);
    __atomic_store_n(&disk_waits, 0, __ATOMIC_RELEASE);
    if (beside_started) pthread_join(beside, NULL);
    return beside_started;
}
static int64_t frames_of_the_wal(void) {
    int64_t frames = -1;
    DBM_EACH(db, row, "PRAGMA wal_checkpoint") frames = dbm_row_int(row, 1);
    return frames;
}
static const char of_100_pages[] = "INSERT INTO log VALUES (zeroblob(400000), 0, 0)", of_one_page[] = "INSERT INTO log VALUES (0, 0, 0)";

/* A checkpoint holds up no other writer, until the WAL has grown so large that it must begin anew. */
static void checkpoints_beside_writers(void **state) {
    int beside_count = 0, held = 0, i;
    (void)state;
    begin_with_an_empty_wal();
    for (i = 0; i < 200 && held == 0; i++) {
        if (!synced_within(of_100_pages)) continue;
        if (beside_in_time) beside_count++;
        else held++;
    }
    assert_no_failures();
    assert_int_equal(held, 1);
    assert_in_range(beside_count, 6, 7);
    assert_in_range(i, 75, 85); /* 8,000 pages */
    assert_int_equal(dbm_exec(db, of_one_page), DBM_OK);
    assert_in_range(frames_of_the_wal(), 0, 100); /* it has begun anew */
    assert_int_equal(file_number("wal.db", "SELECT count(*) FROM log WHERE a = 'beside'"), beside_count + held);
    assert_int_equal(file_number("wal.db", "PRAGMA integrity_check"), 1);
}

/* What little was written beside a checkpoint is copied before the next writer's turn, so that the WAL begins anew at once. */
static void a_checkpoint_and_its_rest(void **state) {
    int i;
    (void)state;
    begin_with_an_empty_wal();
    for (i = 0; i < 20 && !synced_within(of_100_pages); i++) {}
    assert_in_range(i, 8, 12); /* 1,000 pages */
    assert_true(beside_in_time);
    assert_true(synced_within(of_one_page));
    assert_false(beside_in_time);
    assert_no_failures();
    assert_int_equal(dbm_exec(db, of_one_page), DBM_OK);
    assert_in_range(frames_of_the_wal(), 1, 10);
    assert_int_equal(dbm_exec(db, of_one_page), DBM_OK); /* syncs the head of a new WAL: the look at the frames has copied them */
    for (i = 0; i < 20 && !synced_within(of_100_pages); i++) {}
    assert_in_range(i, 8, 12); /* the next checkpoint is 1,000 pages away again */
    assert_true(beside_in_time);
    assert_int_equal(file_number("wal.db", "PRAGMA integrity_check"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, end_all)
        T(a_fork_with_an_idle_pool),
        T(a_fork_with_a_session_open),
        T(writers_and_readers),
        T(two_databases_on_one_file),
        T(an_existing_file_keeps_its_mode),
        T(the_rule_of_serialization),
        T(other_programs_are_waited_for),
        T(checkpoints_beside_writers),
        T(a_checkpoint_and_its_rest),
    };
    return cmocka_run_group_tests_name("sqlite_threads", tests, NULL, NULL);
}
