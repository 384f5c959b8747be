/* What happens to files under a program's hands: a full disk, a limit on file sizes, files that are removed, replaced, overwritten or cut,
 * directories that may not be written, descriptors that run out, locks of another process, another process that dies in the
 * middle of its work. Each time: a status and a message that say it, within the deadline, nothing half done, and a pool that works again when
 * the cause is gone. */
#define _GNU_SOURCE /* unshare() */
#include "dbm_test.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define MUST(c) do { if (!(c)) must_failed(__LINE__, #c); } while (0)
static __attribute__((__noreturn__)) void must_failed(int line, const char *what) {
    const dbm_error_info *e = dbm_last_error();
    fprintf(stderr, "test_io.c:%d: failed: %s\n  last error: %s %d %s: %s\n", line, what, dbm_status_name(e->status), e->native_code, e->sqlstate, e->message);
    abort();
}
static void tell(const char *what, dbm_status st) { printf("  %s: %s: %s\n", what, dbm_status_name(st), st == DBM_OK ? "" : dbm_last_error()->message); }
static bool said(const char *text) { return strstr(dbm_last_error()->message, text) != NULL; }

static test_dir dir;
static test_log logged;
static const char *program;

static int64_t now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
static void pause_ms(long ms) {
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    (void)nanosleep(&t, NULL);
}

/* A manager with one database; two connections, opened, at the file. */
typedef struct world { dbm_manager *mgr; dbm_database *db; } world;
static void world_make(world *w, const char *url, const dbm_option *options, size_t count, const char *init_sql) {
    dbm_options o;
    dbm_config c;
    memset(&o, 0, sizeof o);
    memset(&c, 0, sizeof c);
    memset(w, 0, sizeof *w);
    test_log_clear(&logged);
    o.log = test_log_hook;
    o.log_ud = &logged;
    o.no_env = true;
    c.url = url;
    c.pool.size = 2;
    c.pool.max_overflow = -1;
    c.pool.timeout_ms = 2000;
    c.options = options;
    c.option_count = count;
    c.init_sql = init_sql;
    MUST(dbm_manager_create(&w->mgr, &o) == DBM_OK);
    MUST(dbm_add_database(w->mgr, &c) == DBM_OK);
    w->db = dbm_get(w->mgr, NULL);
    MUST(w->db != NULL);
}
static void world_fill(world *w) {
    dbm_session a, b;
    MUST(dbm_script(w->db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'one'), (2, 'two')") == DBM_OK);
    MUST(dbm_session_begin(w->db, NULL, &a) == DBM_OK && dbm_session_begin(w->db, NULL, &b) == DBM_OK);
    MUST(dbm_exec(&a, "SELECT v FROM t") == DBM_OK && dbm_exec(&b, "SELECT v FROM t") == DBM_OK);
    MUST(dbm_session_end(&a) == DBM_OK && dbm_session_end(&b) == DBM_OK);
}
static void world_idle(world *w) {
    dbm_stats_info s;
    MUST(dbm_stats(w->db, &s) == DBM_OK);
    MUST(s.out == 0 && s.idle == s.open && s.waiting == 0 && s.connecting == 0);
}
static void world_end(world *w) {
    world_idle(w);
    MUST(dbm_close_all(w->mgr) == DBM_OK);
    dbm_manager_free(w->mgr);
}
static int64_t count_in(dbm_database *db) {
    dbm_row *row;
    int64_t n = -1;
    if (dbm_query_one(db, &row, "SELECT count(*) FROM t") == DBM_OK) n = dbm_row_int(row, 0);
    dbm_row_end(row);
    return n;
}
/* It works again, at the latest after the pause that follows a failed connect, and on both connections. */
static void world_works(world *w) {
    int64_t until = now_ms() + 3000;
    dbm_status a, b, rc;
    do {
        a = b = rc = DBM_OK;
        DBM_SESSION_RC(w->mgr, NULL, s, &rc) {
            a = dbm_exec(s, "INSERT INTO t(v) VALUES ('again')");
            DBM_SESSION_OPT(w->mgr, NULL, t, .separate = 1, .status = &b) dbm_exec(t, "SELECT count(*) FROM t");
        }
        if (a == DBM_OK && b == DBM_OK && rc == DBM_OK) return;
        pause_ms(20);
    } while (now_ms() < until);
    must_failed(__LINE__, "it works again within 3 s");
}

/* Runs a scene in a process of its own, for limits and users that can't be taken back. False: it can't be played here. */
enum { CANNOT = 77 };
static bool in_child(void (*scene)(void)) {
    int status = 0;
    pid_t pid;
    (void)fflush(NULL);
    pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        scene();
        (void)fflush(NULL);
        _exit(0);
    }
    MUST(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) return false;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("the process of this scene ended with %d", status);
    return true;
}

/* ---- no room ------------------------------------------------------------------------------------------------------------------------- */

static const char big[60000] = "";

/* Writes until it fails; returns the status. The rows that were committed are there, and no others. */
static dbm_status write_until_full(world *w, bool autocommit, int *kept) {
    dbm_status rc = DBM_OK;
    for (int round = 0; rc == DBM_OK && round < 500; round++) {
        DBM_SESSION_OPT(w->mgr, NULL, s, .status = &rc, .autocommit = autocommit) {
            dbm_exec(s, "INSERT INTO t(v) VALUES (?)", dbm_blob(big, sizeof big));
            if (!autocommit) dbm_exec(s, "INSERT INTO t(v) VALUES (?)", dbm_blob(big, sizeof big));
        }
        if (rc == DBM_OK) *kept += autocommit ? 1 : 2;
    }
    return rc;
}

static void play_page_limit(void) {
    for (int autocommit = 0; autocommit < 2; autocommit++) {
        world w;
        int kept = 2;
        world_make(&w, test_dir_url(&dir, autocommit ? "pages1.db" : "pages0.db"), NULL, 0, "PRAGMA max_page_count = 200");
        world_fill(&w);
        MUST(write_until_full(&w, autocommit, &kept) == DBM_E_LIMIT);
        MUST(said("full") && dbm_last_error()->native_code == SQLITE_FULL && !dbm_last_error()->retryable);
        MUST(strcmp(dbm_last_error()->sqlstate, "53100") == 0);
        MUST(count_in(w.db) == kept && kept > 5);
        MUST(dbm_exec(w.db, "DELETE FROM t WHERE id > 2") == DBM_OK);
        world_works(&w);
        world_end(&w);
    }
}
static void page_limit(void **state) {
    (void)state;
    play_page_limit();
}

/* A small file system, in a name space of this process. */
static void play_full_disk(void) {
    static const char *const journals[] = { "wal", "delete" };
    static const char *const tails[] = { "", "-wal", "-shm", "-journal" };
    test_dir disk;
    bool mounted = unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    memset(&disk, 0, sizeof disk);
    strcpy(disk.path, test_dir_file(&dir, "disk"));
    (void)mkdir(disk.path, 0700);
    if (mounted) (void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    if (!mounted || mount("tmpfs", disk.path, "tmpfs", 0, "size=1m") != 0) _exit(CANNOT);
    for (int kind = 0; kind < 4; kind++) {
        bool autocommit = kind % 2 != 0;
        dbm_option o[1];
        world w;
        int kept = 2;
        dbm_status st;
        o[0].name = "journal_mode";
        o[0].value = journals[kind / 2];
        world_make(&w, test_dir_url(&disk, "full.db"), o, 1, NULL);
        world_fill(&w);
        st = write_until_full(&w, autocommit, &kept);
        tell(autocommit ? "a full disk, autocommit" : "a full disk", st);
        MUST(st == DBM_E_LIMIT && said("full") && said("full.db"));
        MUST(count_in(w.db) == kept && kept > 2);
        world_end(&w);
        for (int f = 0; f < 4; f++) {
            char name[32];
            (void)snprintf(name, sizeof name, "full.db%s", tails[f]);
            (void)unlink(test_dir_file(&disk, name));
        }
    }
    (void)umount(disk.path);
}
static void full_disk(void **state) {
    (void)state;
    if (!in_child(play_full_disk)) printf("  a full disk: no file system can be mounted here\n");
}

/* Files may not grow beyond a limit: the system refuses the write itself. */
static void play_size_limit(void) {
    struct rlimit limit = { 400000, 400000 };
    MUST(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    for (int autocommit = 0; autocommit < 2; autocommit++) {
        world w;
        int kept = 2;
        dbm_status st;
        world_make(&w, test_dir_url(&dir, autocommit ? "size1.db" : "size0.db"), NULL, 0, NULL);
        world_fill(&w);
        MUST(setrlimit(RLIMIT_FSIZE, &limit) == 0);
        st = write_until_full(&w, autocommit, &kept);
        tell(autocommit ? "a limit on sizes, autocommit" : "a limit on sizes", st);
        MUST(st == DBM_E_IN_DOUBT && said("done or not") && said("disk I/O error") && said(autocommit ? "size1.db" : "size0.db"));
        MUST(count_in(w.db) == kept && kept > 2);
        world_idle(&w);
        world_end(&w);
    }
}
static void size_limit(void **state) {
    (void)state;
    MUST(in_child(play_size_limit));
}

/* ---- files that go, or change ------------------------------------------------------------------------------------------------------------ */

static void remove_db(const char *name) {
    static const char *const tails[] = { "", "-wal", "-shm", "-journal" };
    for (int i = 0; i < 4; i++) {
        char file[64];
        (void)snprintf(file, sizeof file, "%s%s", name, tails[i]);
        (void)unlink(test_dir_file(&dir, file));
    }
}
static const dbm_option in_wal[] = { { "journal_mode", "wal" } }, in_delete[] = { { "journal_mode", "delete" } };

/* Removed while it is open. With a rollback journal SQLite refuses the next write; in WAL mode it never looks, but a ping does, and the
 * connection is replaced: health tells, and the pool finds its way to the new file. */
static void make_table(world *w) {
    MUST(dbm_exec(w->db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, v TEXT)") == DBM_OK);
}
static void file_removed(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        world w;
        dbm_stats_info stats;
        world_make(&w, test_dir_url(&dir, "gone.db"), kind == 0 ? in_wal : in_delete, 1, NULL);
        world_fill(&w);
        remove_db("gone.db");
        if (kind == 1) {
            MUST(dbm_exec(w.db, "INSERT INTO t(v) VALUES ('into nothing')") == DBM_E_READ_ONLY);
            MUST(said("moved, replaced or deleted") && said("gone.db"));
        }
        for (int i = 0; i < 3; i++) { /* two connections at the most */
            dbm_status st = dbm_ping(w.db);
            if (st == DBM_OK) break;
            MUST(st == DBM_E_LOST && said("moved, replaced or deleted"));
        }
        MUST(dbm_ping(w.db) == DBM_OK && dbm_health(w.mgr, NULL, NULL) == DBM_OK);
        MUST(dbm_stats(w.db, &stats) == DBM_OK && stats.broken >= 1 && stats.broken <= 2);
        make_table(&w);
        world_works(&w);
        MUST(access(test_dir_file(&dir, "gone.db"), F_OK) == 0);
        world_end(&w);
        remove_db("gone.db");
    }
}

static void write_file(const char *name, const char *bytes, size_t size, bool cut) {
    int fd = open(test_dir_file(&dir, name), O_WRONLY | O_CREAT | (cut ? O_TRUNC : 0), 0600);
    MUST(fd >= 0);
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        MUST(n > 0);
        bytes += n;
        size -= (size_t)n;
    }
    MUST(close(fd) == 0);
}
static char *read_file(const char *name, size_t *size) {
    FILE *f = fopen(test_dir_file(&dir, name), "rb");
    char *bytes = (char *)malloc(1 << 20);
    MUST(f != NULL && bytes != NULL);
    *size = fread(bytes, 1, 1 << 20, f);
    (void)fclose(f);
    return bytes;
}

/* Another database in the place of the old one, as a restore from a backup does it. */
static void file_replaced(void **state) {
    world w;
    sqlite3 *raw;
    int64_t n = 0;
    (void)state;
    MUST(sqlite3_open(test_dir_file(&dir, "backup.db"), &raw) == SQLITE_OK);
    MUST(sqlite3_exec(raw, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t(v) VALUES (1), (2), (3), (4), (5)", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(raw);
    world_make(&w, test_dir_url(&dir, "now.db"), in_delete, 1, NULL);
    world_fill(&w);
    MUST(rename(test_dir_file(&dir, "backup.db"), test_dir_file(&dir, "now.db")) == 0);
    for (int i = 0; i < 3 && dbm_ping(w.db) != DBM_OK; i++) MUST(dbm_last_error()->status == DBM_E_LOST && said("replaced"));
    for (int i = 0; i < 2; i++) n = count_in(w.db);
    MUST(n == 5);
    world_works(&w);
    world_end(&w);
    remove_db("now.db");
}

/* Overwritten by something else, cut short, emptied; then put back. */
static void file_spoiled(void **state) {
    static char garbage[20000];
    (void)state;
    for (size_t i = 0; i < sizeof garbage; i++) garbage[i] = (char)(i * 7919 >> 3);
    for (int how = 0; how < 6; how++) {
        /* Overwritten, overwritten from the second page on, cut in the middle of a page. */
        bool wal = how % 2 == 0;
        world w;
        char *whole;
        size_t size;
        dbm_status st;
        world_make(&w, test_dir_url(&dir, "spoiled.db"), wal ? in_wal : in_delete, 1, NULL);
        world_fill(&w);
        MUST(dbm_exec(w.db, "INSERT INTO t(v) SELECT zeroblob(1000) FROM t a, t b, t c, t d") == DBM_OK);
        MUST(dbm_close_all(w.mgr) == DBM_OK); /* so that all of it is in the file */
        dbm_manager_free(w.mgr);
        whole = read_file("spoiled.db", &size);
        world_make(&w, test_dir_url(&dir, "spoiled.db"), wal ? in_wal : in_delete, 1, NULL);
        if (how / 2 == 1) MUST(dbm_init_all(w.mgr) == DBM_OK); /* opened, but no page of the table is in memory */
        else MUST(count_in(w.db) == 18);
        if (how / 2 == 0) write_file("spoiled.db", garbage, sizeof garbage, true);
        else if (how / 2 == 1) {
            int fd = open(test_dir_file(&dir, "spoiled.db"), O_WRONLY);
            MUST(fd >= 0 && pwrite(fd, garbage, 16000, 4096) == 16000 && close(fd) == 0);
        } else MUST(truncate(test_dir_file(&dir, "spoiled.db"), 6000) == 0);
        st = dbm_exec(w.db, "SELECT sum(length(v)) FROM t WHERE id > ?", 0);
        MUST(st == DBM_E_SQL || st == DBM_E_CONNECT);
        MUST(dbm_last_error()->native_code == SQLITE_CORRUPT || dbm_last_error()->native_code == SQLITE_NOTADB);
        MUST(said("spoiled.db") && (said("malformed") || said("not a database")));
        MUST(strcmp(dbm_last_error()->sqlstate, "XX001") == 0 && !dbm_last_error()->retryable);
        /* That connection is gone, and another one finds the same. */
        st = dbm_exec(w.db, "SELECT sum(length(v)) FROM t WHERE id > ?", 0);
        MUST(st == DBM_E_CONNECT || st == DBM_E_SQL);
        MUST(said("spoiled.db") && (said("malformed") || said("not an SQLite database")));
        world_idle(&w);
        write_file("spoiled.db", whole, size, true);
        world_works(&w);
        MUST(count_in(w.db) == 19);
        world_end(&w);
        free(whole);
        remove_db("spoiled.db");
    }
}

/* ---- directories and descriptors ----------------------------------------------------------------------------------------------------------- */

static void play_read_only_directory(void) {
    world w;
    dbm_status st;
    test_dir closed;
    memset(&closed, 0, sizeof closed);
    strcpy(closed.path, test_dir_file(&dir, "closed"));
    MUST(mkdir(closed.path, 0755) == 0);
    for (int kind = 0; kind < 2; kind++) {
        world_make(&w, test_dir_url(&closed, kind == 0 ? "wal.db" : "delete.db"), kind == 0 ? in_wal : in_delete, 1, NULL);
        world_fill(&w);
        world_end(&w);
    }
    /* root may do everything, so somebody else looks */
    if (geteuid() == 0) {
        MUST(chmod(test_dir_file(&closed, "wal.db"), 0644) == 0 && chmod(test_dir_file(&closed, "delete.db"), 0644) == 0);
        MUST(chmod(dir.path, 0755) == 0);
        if (setgid(65534) != 0 || setuid(65534) != 0) _exit(CANNOT);
    } else {
        MUST(chmod(closed.path, 0555) == 0);
    }
    if (access(test_dir_file(&closed, "wal.db"), R_OK) != 0) _exit(CANNOT); /* a directory above is closed */
    world_make(&w, test_dir_url(&closed, "new.db"), NULL, 0, NULL);
    MUST(dbm_init_all(w.mgr) == DBM_E_CONNECT && said("may not create") && said("new.db"));
    world_end(&w);
    world_make(&w, test_dir_url(&closed, "wal.db"), NULL, 0, NULL); /* its -shm file can't be made */
    st = dbm_exec(w.db, "SELECT * FROM t");
    MUST(st == DBM_E_CONNECT && said("wal.db") && said("the directory must be writable"));
    world_end(&w);
    world_make(&w, test_dir_url(&closed, "delete.db"), NULL, 0, NULL);
    MUST(count_in(w.db) == 2); /* reading works */
    st = dbm_exec(w.db, "INSERT INTO t(v) VALUES ('x')");
    MUST(st == DBM_E_READ_ONLY && said("delete.db") && said("may not be written"));
    MUST(count_in(w.db) == 2);
    world_end(&w);
}
static void read_only_directory(void **state) {
    (void)state;
    if (!in_child(play_read_only_directory)) printf("  a read-only directory: not from this account\n");
    (void)chmod(test_dir_file(&dir, "closed"), 0755);
}

static void missing_directory(void **state) {
    world w;
    test_dir later;
    (void)state;
    memset(&later, 0, sizeof later);
    strcpy(later.path, test_dir_file(&dir, "later"));
    world_make(&w, test_dir_url(&later, "a.db"), NULL, 0, NULL);
    MUST(dbm_init_all(w.mgr) == DBM_E_CONNECT && said("its directory does not exist"));
    MUST(dbm_get(w.mgr, NULL) == w.db);
    MUST(mkdir(later.path, 0700) == 0);
    pause_ms(60); /* the first pause after a failed connect is 50 ms */
    make_table(&w);
    world_works(&w);
    world_end(&w);
}

static void play_descriptors(void) {
    struct rlimit limit;
    world w;
    dbm_session a, b;
    int taken[64], n = 0, fd;
    MUST(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 40;
    MUST(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    world_make(&w, test_dir_url(&dir, "descriptors.db"), NULL, 0, NULL);
    MUST(dbm_exec(w.db, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)") == DBM_OK);
    while (n < 64 && (fd = dup(2)) >= 0) taken[n++] = fd;
    MUST(n > 0 && errno == EMFILE);
    MUST(dbm_session_begin(w.db, NULL, &a) == DBM_OK);
    MUST(dbm_exec(&a, "INSERT INTO t(v) VALUES ('the open connection works on')") == DBM_OK);
    MUST(dbm_session_begin(w.db, DBM__OPTIONS(dbm_session_options, .timeout_ms = 300), &b) == DBM_E_TIMEOUT);
    MUST(said("too many open files"));
    (void)dbm_session_end(&b);
    MUST(dbm_commit(&a) == DBM_OK && dbm_session_end(&a) == DBM_OK);
    while (n > 0) MUST(close(taken[--n]) == 0);
    world_works(&w);
    world_end(&w);
}
static void descriptors(void **state) {
    (void)state;
    MUST(in_child(play_descriptors));
}

/* ---- another process ------------------------------------------------------------------------------------------------------------------------- */

/* In the other process: takes the file's lock by `sql`, says so, and lets go when it hears. */
static int hold(const char *path, const char *sql) {
    sqlite3 *raw;
    char byte = 'h';
    if (sqlite3_open(path, &raw) != SQLITE_OK || sqlite3_busy_timeout(raw, 2000) != SQLITE_OK) return 1;
    if (sqlite3_exec(raw, sql, NULL, NULL, NULL) != SQLITE_OK) return 2;
    if (write(STDOUT_FILENO, &byte, 1) != 1) return 3;
    if (read(STDIN_FILENO, &byte, 1) < 0) return 4;
    if (sqlite3_exec(raw, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) return 5;
    sqlite3_close(raw);
    return 0;
}
typedef struct holder { pid_t pid; int to, from; } holder;
static void holder_start(holder *h, const char *name, const char *sql) {
    int in[2], out[2];
    char byte;
    const char *path = test_dir_file(&dir, name);
    MUST(pipe(in) == 0 && pipe(out) == 0);
    (void)fflush(NULL);
    h->pid = fork();
    MUST(h->pid >= 0);
    if (h->pid == 0) { /* a program of its own: SQLite's locks do not survive a fork */
        if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0) _exit(1);
        for (int fd = 3; fd < 64; fd++) (void)close(fd);
        execl(program, program, "hold", path, sql, (char *)NULL);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    h->to = in[1];
    h->from = out[0];
    MUST(read(h->from, &byte, 1) == 1 && byte == 'h');
}
static void holder_let_go(holder *h) { (void)close(h->to); }
static void holder_end(holder *h, bool kill_it) {
    int status = 0;
    if (kill_it) (void)kill(h->pid, SIGKILL);
    holder_let_go(h);
    MUST(waitpid(h->pid, &status, 0) == h->pid);
    MUST(kill_it ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)close(h->from);
}

static void *let_go_soon(void *ud) {
    pause_ms(150);
    holder_let_go((holder *)ud);
    return NULL;
}
static dbm_session to_cancel;
static void *cancel_soon(void *ud) {
    pause_ms(100);
    *(dbm_status *)ud = dbm_cancel(&to_cancel);
    return NULL;
}

static void locked_by_another(void **state) {
    static const dbm_option patient[] = { { "journal_mode", "wal" }, { "busy_timeout", "600ms" } };
    world w;
    holder h;
    int64_t began, took;
    dbm_status st, rc;
    pthread_t thread;
    (void)state;
    world_make(&w, test_dir_url(&dir, "locked.db"), patient, 2, NULL);
    world_fill(&w);
    holder_start(&h, "locked.db", "BEGIN IMMEDIATE; INSERT INTO t(v) VALUES ('theirs')");
    MUST(count_in(w.db) == 2); /* readers do not wait */
    /* busy_timeout */
    began = now_ms();
    DBM_SESSION_RC(w.mgr, NULL, s, &rc) dbm_exec(s, "INSERT INTO t(v) VALUES ('ours')");
    took = now_ms() - began;
    MUST(rc == DBM_E_TIMEOUT && said("locked") && said("another process or connection") && said("busy_timeout"));
    MUST(dbm_last_error()->retryable && dbm_last_error()->native_code == SQLITE_BUSY && strcmp(dbm_last_error()->sqlstate, "55P03") == 0);
    MUST(took >= 590 && took < 5000);
    /* the session's deadline */
    began = now_ms();
    DBM_SESSION_OPT(w.mgr, NULL, s, .timeout_ms = 100, .status = &rc) dbm_exec(s, "INSERT INTO t(v) VALUES ('ours')");
    took = now_ms() - began;
    MUST(rc == DBM_E_TIMEOUT && said("until the deadline") && took >= 95 && took < 5000);
    /* a call on the database */
    began = now_ms();
    st = dbm_exec(w.db, "INSERT INTO t(v) VALUES ('ours')");
    took = now_ms() - began;
    MUST(st == DBM_E_TIMEOUT && took >= 590 && took < 5000);
    /* a transaction that reads first, and writes then */
    DBM_SESSION_RC(w.mgr, NULL, s, &rc) {
        dbm_exec(s, "SELECT * FROM t");
        dbm_exec(s, "INSERT INTO t(v) VALUES ('ours')");
    }
    MUST(rc == DBM_E_TIMEOUT && dbm_last_error()->retryable);
    /* a cancel */
    {
        dbm_status cancelled = DBM_E_MISUSE;
        MUST(dbm_session_begin(w.db, NULL, &to_cancel) == DBM_OK);
        MUST(pthread_create(&thread, NULL, cancel_soon, &cancelled) == 0);
        began = now_ms();
        st = dbm_exec(&to_cancel, "INSERT INTO t(v) VALUES ('ours')");
        took = now_ms() - began;
        MUST(pthread_join(thread, NULL) == 0 && cancelled == DBM_OK);
        MUST(st == DBM_E_CANCELLED && took < 590);
        MUST(dbm_session_end(&to_cancel) == DBM_E_CANCELLED);
    }
    world_idle(&w);
    MUST(count_in(w.db) == 2);
    /* the other one lets go in time */
    MUST(pthread_create(&thread, NULL, let_go_soon, &h) == 0);
    DBM_SESSION_RC(w.mgr, NULL, s, &rc) dbm_exec(s, "INSERT INTO t(v) VALUES ('ours')");
    MUST(rc == DBM_OK && pthread_join(thread, NULL) == 0);
    h.to = open("/dev/null", O_RDONLY); /* holder_end closes it once more */
    holder_end(&h, false);
    MUST(count_in(w.db) == 4);
    world_works(&w);
    world_end(&w);
    remove_db("locked.db");
}

/* With a rollback journal a writer that commits keeps readers out too. */
static void locked_exclusively(void **state) {
    static const dbm_option impatient[] = { { "journal_mode", "delete" }, { "busy_timeout", "200ms" } };
    world w, other;
    holder h;
    int64_t began, took;
    dbm_row *row;
    dbm_status st;
    (void)state;
    world_make(&w, test_dir_url(&dir, "exclusive.db"), impatient, 2, NULL);
    world_fill(&w);
    holder_start(&h, "exclusive.db", "BEGIN EXCLUSIVE");
    began = now_ms();
    st = dbm_query_one(w.db, &row, "SELECT count(*) FROM t");
    took = now_ms() - began;
    MUST(st == DBM_E_TIMEOUT && said("locked") && took >= 190 && took < 5000);
    /* A connection that is opened meanwhile */
    world_make(&other, test_dir_url(&dir, "exclusive.db"), impatient, 2, NULL);
    began = now_ms();
    st = dbm_init_all(other.mgr);
    took = now_ms() - began;
    MUST(st == DBM_E_CONNECT && said("locked") && said("exclusive.db") && took >= 190 && took < 5000);
    MUST(dbm_ping(w.db) == DBM_E_TIMEOUT);
    holder_end(&h, false);
    pause_ms(60);
    world_works(&other);
    world_works(&w);
    world_end(&other);
    world_end(&w);
    remove_db("exclusive.db");
}

/* It dies with its transaction half written: what it wrote is not there, its locks are gone. */
static void other_dies(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        world w;
        holder h;
        dbm_row *row;
        world_make(&w, test_dir_url(&dir, "dies.db"), kind == 0 ? in_wal : in_delete, 1, NULL);
        world_fill(&w);
        holder_start(&h, "dies.db", "PRAGMA cache_size = 5; BEGIN IMMEDIATE; UPDATE t SET v = 'theirs'; INSERT INTO t(v) WITH RECURSIVE c(n) AS (SELECT 1 "
                     "UNION ALL SELECT n + 1 FROM c WHERE n < 500) SELECT hex(zeroblob(1000)) FROM c");
        holder_end(&h, true);
        MUST(count_in(w.db) == 2);
        MUST(dbm_query_one(w.db, &row, "SELECT v FROM t WHERE id = 1") == DBM_OK && strcmp(dbm_row_text(row, 0), "one") == 0);
        dbm_row_end(row);
        MUST(dbm_query_one(w.db, &row, "PRAGMA integrity_check") == DBM_OK && strcmp(dbm_row_text(row, 0), "ok") == 0);
        dbm_row_end(row);
        world_works(&w);
        world_end(&w);
        remove_db("dies.db");
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_limit), cmocka_unit_test(full_disk), cmocka_unit_test(size_limit), cmocka_unit_test(file_removed),
        cmocka_unit_test(file_replaced), cmocka_unit_test(file_spoiled), cmocka_unit_test(read_only_directory), cmocka_unit_test(missing_directory),
        cmocka_unit_test(descriptors), cmocka_unit_test(locked_by_another), cmocka_unit_test(locked_exclusively), cmocka_unit_test(other_dies)
    };
    int rc;
    if (argc == 4 && strcmp(argv[1], "hold") == 0) return hold(argv[2], argv[3]);
    program = argv[0];
    (void)signal(SIGPIPE, SIG_IGN);
    test_dir_make(&dir);
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    test_dir_remove(&dir);
    return rc;
}
