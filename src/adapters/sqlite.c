/* SQLite: files and in-memory databases, through sqlite3.h 3.24 or newer.
 * May call: api/, base/, adapter/ (refusals), config/ (values of options), sql/ (a timestamp's text), and sqlite3.
 * Must not know: pools, sessions, other adapters. */
#include "adapters.h"
#include "../config/config.h"
#include "../sql/sql.h"
#if DBM_HAS_SQLITE
#if defined(__has_include) && !defined(DBM__BUNDLED_SQLITE3_H)
#  if !__has_include(<sqlite3.h>)
#    define DBM__SQLITE_MISSING 1
#  endif
#endif
#if defined(DBM__SQLITE_MISSING)
#  error "dbm: DBM_WITH_SQLITE needs sqlite3.h: install libsqlite3-dev (Debian), sqlite-dev (Alpine), sqlite (macOS), or put sqlite3.h on the include path"
#else
#include <sqlite3.h>
#if SQLITE_VERSION_NUMBER < 3024000
#  error "dbm: DBM_WITH_SQLITE needs SQLite 3.24 or newer: put a newer sqlite3.h on the include path"
#endif
#if defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__SQLITE_POSIX 1
#  include <errno.h>
#  include <stdlib.h>
#  include <sys/stat.h>
#  include <unistd.h>
#  if defined(__GLIBC__) && !defined(__USE_MISC) && !defined(__USE_XOPEN_EXTENDED) && !defined(__cplusplus)
char *realpath(const char *path, char *resolved); /* it is there; a system header that came first has hidden it */
#  endif
#else
#  define DBM__SQLITE_POSIX 0
#endif
#if defined(PATH_MAX) && PATH_MAX > 4096
#  define DBM__SQLITE_PATH PATH_MAX
#else
#  define DBM__SQLITE_PATH 4096
#endif
/* What came after 3.24, by the version of the header. */
#if SQLITE_VERSION_NUMBER >= 3037000
#  define DBM__SQLITE_CHANGES(db) ((int64_t)sqlite3_changes64(db))
#  define DBM__SQLITE_TOTAL(db) ((int64_t)sqlite3_total_changes64(db))
#else
#  define DBM__SQLITE_CHANGES(db) ((int64_t)sqlite3_changes(db))
#  define DBM__SQLITE_TOTAL(db) ((int64_t)sqlite3_total_changes(db))
#endif
#if SQLITE_VERSION_NUMBER >= 3028000
#  define DBM__SQLITE_EXPLAINS(stmt) (sqlite3_stmt_isexplain(stmt) != 0)
#else
#  define DBM__SQLITE_EXPLAINS(stmt) false
#endif
#if SQLITE_VERSION_NUMBER >= 3038000
#  define DBM__SQLITE_OFFSET(db) sqlite3_error_offset(db)
#else
#  define DBM__SQLITE_OFFSET(db) (-1)
#endif

/* What runs for each statement and column is called past the linkage table, whose stubs are a cache line of code each. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__ELF__) && defined(__has_attribute) && !defined(SQLITE3EXT_H)
#  if __has_attribute(__noplt__)
#    define DBM__SQLITE_NEAR(f) extern __typeof__(f) f __attribute__((__noplt__));
DBM__SQLITE_NEAR(sqlite3_step) DBM__SQLITE_NEAR(sqlite3_reset) DBM__SQLITE_NEAR(sqlite3_bind_int64) DBM__SQLITE_NEAR(sqlite3_bind_text64)
DBM__SQLITE_NEAR(sqlite3_bind_double) DBM__SQLITE_NEAR(sqlite3_column_count) DBM__SQLITE_NEAR(sqlite3_column_value) DBM__SQLITE_NEAR(sqlite3_value_type)
DBM__SQLITE_NEAR(sqlite3_value_int64) DBM__SQLITE_NEAR(sqlite3_value_text) DBM__SQLITE_NEAR(sqlite3_value_bytes) DBM__SQLITE_NEAR(sqlite3_value_double)
DBM__SQLITE_NEAR(sqlite3_last_insert_rowid) DBM__SQLITE_NEAR(sqlite3_set_last_insert_rowid)
#    if SQLITE_VERSION_NUMBER >= 3037000
DBM__SQLITE_NEAR(sqlite3_changes64) DBM__SQLITE_NEAR(sqlite3_total_changes64)
#    endif
#  endif
#endif

#define DBM__SQLITE_LEXER (DBM_LEX_BRACKETS | DBM_LEX_BACKTICKS)
#define DBM__SQLITE_OPTIONS "busy_timeout,foreign_keys,journal_mode,synchronous,cache_size"
#define DBM__SQLITE_STEPS 1000 /* of SQLite's machine, between two looks at the deadline */
#define DBM__SQLITE_CHECKPOINT 1000 /* pages of the WAL between two checkpoints, as SQLite has it */
#define DBM__SQLITE_FEW 64 /* of them are soon copied */
#define DBM__SQLITE_WAL_MAX 8000

/* ---- what it keeps ----------------------------------------------------------------------------------------------- */

/* Of a database, from init to close. The texts lie behind it in the same block, or are literals. */
typedef struct dbm__sqlite_base {
    const char *path;        /* of the file, absolute; what messages show */
    const char *uri;         /* for sqlite3_open_v2 */
    const char *journal;     /* NULL: WAL for a new file, else as it is */
    const char *synchronous;
    int64_t busy_us;
    int64_t cache_size;      /* 0: as SQLite has it */
    bool memory, foreign_keys, read_only;
    bool own_vfs;            /* the URL names one */
    bool parted;             /* in the child of a fork: a transaction of the parent was open, see dbm__sqlite_forked */
    dbm__word left_open;     /* and there is no way around it */
    dbm__word checkpoint;    /* twice the pages in the WAL at the last one; odd: all of them are copied; 0: none since it began anew */
} dbm__sqlite_base;

/* Statements that each connection keeps from their second use on, to be stepped and reset: one that was opened for a peak holds less while it is idle. */
enum {
    DBM__SQLITE_BEGIN, DBM__SQLITE_IMMEDIATE, DBM__SQLITE_COMMIT, DBM__SQLITE_ROLLBACK, DBM__SQLITE_PING,
    DBM__SQLITE_SAVEPOINT,   /* and from here on, for each level: SAVEPOINT, RELEASE, ROLLBACK TO */
    DBM__SQLITE_LEVELS = 4,  /* deeper ones are prepared each time */
    DBM__SQLITE_WORDS = DBM__SQLITE_SAVEPOINT + 3 * DBM__SQLITE_LEVELS
};

/* Whether an operation runs. A cancel turns ACTIVE into CANCELLED and nothing else, so none is left over for the next
 * operation. */
enum { DBM__SQLITE_IDLE = 0, DBM__SQLITE_ACTIVE, DBM__SQLITE_CANCELLED };

/* Of a connection. */
typedef struct dbm__sqlite {
    sqlite3 *db;
    dbm_connection *c;
    dbm_database *owner;
    dbm__sqlite_base *base;
    sqlite3_stmt *running;   /* what the current or last operation steps; NULL: nothing of ours */
    int64_t deadline_us;     /* of that operation */
    int64_t waited_us;       /* that it waited for locks so far */
    int64_t wait_from;       /* where the wait in progress began */
    int64_t slept_us;        /* of the wait in progress: also ends it where the clock stands still */
    dbm__word state;         /* DBM__SQLITE_IDLE ...; only a cancel changes it from another thread */
    dbm__word epoch;         /* of forks, at connect */
    bool timed_out;          /* the deadline ended a statement, or a wait */
    bool read_only;          /* the transaction is */
    bool wal;
    bool connecting;
    bool ending;             /* COMMIT or ROLLBACK, which nothing may stop */
    dbm__aside_chunk *spare; /* of rows put aside, for the next ones */
    unsigned used;           /* a bit for each word that was */
    sqlite3_stmt *words[DBM__SQLITE_WORDS];
} dbm__sqlite;

/* Rows that were put aside: a list. A row is its head, then its values, then their texts. */
typedef struct dbm__sqlite_row { struct dbm__sqlite_row *next; } dbm__sqlite_row;

/* Of a statement: what prepared->data and, while its rows are read, op->result point to. */
typedef struct dbm__sqlite_statement {
    sqlite3_stmt *stmt;
    dbm__sqlite *q;
    int parameters;
    int unbound;             /* the one that could not be bound, from 0 */
    int columns;             /* of the result in progress */
    bool writes, rows;
    bool counts;             /* INSERT, REPLACE, UPDATE, DELETE, or WITH: SQLite counts what it changed, though that be nothing */
    bool inserts;            /* of those INSERT, REPLACE, or WITH: may generate a key */
    bool reads_id;           /* calls last_insert_rowid(), which must then show the last key */
    bool random;             /* calls random(): another run would give other rows */
    /* Of the result in progress. */
    bool touched;            /* a column of the row in hand was read: its text must stay where it is */
    bool ended;              /* no more rows; stepping again would run it again */
    bool held;               /* the rest of the rows, or all of them, are in `first` */
    int64_t seen;            /* rows, the one in hand included */
    dbm__sqlite_row *row;    /* the row in hand, when it is one of those put aside */
    dbm__sqlite_row *first;
    dbm__aside aside;
} dbm__sqlite_statement;

/* ---- failures ---------------------------------------------------------------------------------------------------- */

/* Which of our statuses a result code is: by the code itself, else (ANY) by its primary one. */
static dbm_status dbm__sqlite_status(int rc, const char **sqlstate, bool *retryable) {
    enum { ANY = 1 << 24 };
    static const struct { int rc; dbm_status status; const char *sqlstate; bool retryable; } known[] = {
        { SQLITE_BUSY_SNAPSHOT, DBM_E_SERIALIZATION, "40001", true }, { SQLITE_IOERR_NOMEM, DBM_E_NOMEM, "53200", false },
        { SQLITE_LOCKED, DBM_E_MISUSE, "55006", false }, /* by this very connection: no wait would help */
        { SQLITE_CONSTRAINT_UNIQUE, DBM_E_CONSTRAINT, "23505", false }, { SQLITE_CONSTRAINT_PRIMARYKEY, DBM_E_CONSTRAINT, "23505", false },
        { SQLITE_CONSTRAINT_ROWID, DBM_E_CONSTRAINT, "23505", false }, { SQLITE_CONSTRAINT_NOTNULL, DBM_E_CONSTRAINT, "23502", false },
        { SQLITE_CONSTRAINT_FOREIGNKEY, DBM_E_CONSTRAINT, "23503", false }, { SQLITE_CONSTRAINT_CHECK, DBM_E_CONSTRAINT, "23514", false },
        { ANY | SQLITE_CONSTRAINT, DBM_E_CONSTRAINT, "23000", false }, { ANY | SQLITE_BUSY, DBM_E_TIMEOUT, "55P03", true },
        { ANY | SQLITE_LOCKED, DBM_E_TIMEOUT, "55P03", true }, { ANY | SQLITE_PROTOCOL, DBM_E_TIMEOUT, "55P03", true },
        { ANY | SQLITE_SCHEMA, DBM_E_SQL, NULL, true }, { ANY | SQLITE_ABORT, DBM_E_ROLLED_BACK, "40000", false },
        { ANY | SQLITE_INTERRUPT, DBM_E_CANCELLED, "57014", false }, { ANY | SQLITE_READONLY, DBM_E_READ_ONLY, "25006", false },
        { ANY | SQLITE_NOMEM, DBM_E_NOMEM, "53200", false }, { ANY | SQLITE_FULL, DBM_E_LIMIT, "53100", false },
        { ANY | SQLITE_TOOBIG, DBM_E_LIMIT, "54000", false }, { ANY | SQLITE_RANGE, DBM_E_RANGE, NULL, false },
        { ANY | SQLITE_MISUSE, DBM_E_MISUSE, NULL, false }, { ANY | SQLITE_IOERR, DBM_E_LOST, "58030", false },
        { ANY | SQLITE_NOTADB, DBM_E_CONNECT, "XX001", false }, { ANY | SQLITE_CORRUPT, DBM_E_SQL, "XX001", false },
        { ANY | SQLITE_CANTOPEN, DBM_E_SQL, "58030", false }, { ANY | SQLITE_AUTH, DBM_E_SQL, "42501", false },
        { ANY | SQLITE_PERM, DBM_E_SQL, "42501", false }, { ANY | SQLITE_MISMATCH, DBM_E_SQL, "42804", false }, { 0, DBM_E_SQL, NULL, false }
    };
    size_t i = 0;
    while (known[i].rc != 0 && known[i].rc != rc && known[i].rc != (ANY | (rc & 0xff))) i++;
    *retryable = known[i].retryable;
    *sqlstate = known[i].sqlstate;
    return known[i].status;
}

/* SQLITE_ERROR has no finer codes; its texts have been the same for a decade. */
static const char *dbm__sqlite_sqlstate(const char *said) {
    static const struct { const char *part, *state; } known[] = {
        { "no such column", "42703" }, { "no such table", "42P01" }, { "syntax error", "42601" },
        { "incomplete input", "42601" }, { "unrecognized token", "42601" }, { "no such function", "42883" },
        { "already exists", "42P07" }, { "no such savepoint", "3B001" }, { "within a transaction", "25001" },
        { "no transaction is active", "25P01" }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) if (strstr(said, known[i].part) != NULL) return known[i].state;
    return "42000";
}

static dbm_status dbm__sqlite_constraint(dbm__sqlite *q, int rc, const char *sqlstate, const char *said) {
    static const char before[] = "constraint failed: ";
    const char *name = strcmp(sqlstate, "23000") != 0 ? strstr(said, before) : NULL;
    char copy[128]; /* `said` is SQLite's, and not to be relied on after the first report */
    dbm_constraint kind;
    dbm__copy_cut(copy, sizeof copy, name != NULL ? name + sizeof before - 1 : "");
    dbm__adapter_say(q->c, DBM_E_CONSTRAINT, sqlstate, rc, "%s", said);
    kind = rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID ? DBM_CONSTRAINT_PRIMARY_KEY : dbm__self()->last.constraint;
    dbm_adapter_fail_constraint(q->c, kind, copy);
    return DBM_E_CONSTRAINT;
}

/* Why a file can't be opened, in words: SQLite only says that it can't. */
static const char *dbm__sqlite_why(const dbm__sqlite *q, char *block, size_t capacity) {
    const dbm__sqlite_base *base = q->base;
#if DBM__SQLITE_POSIX
    struct stat file;
    const char *slash = strrchr(base->path, '/');
    size_t size = slash != NULL ? (size_t)(slash - base->path) : 0;
    if (base->memory) return "";
    if (stat(base->path, &file) == 0) {
        if (S_ISDIR(file.st_mode)) return ": it is a directory; name a file in it";
        if (access(base->path, R_OK) != 0) return ": this process has no permission to read it";
        if (sqlite3_system_errno(q->db) == EMFILE) return ": this process has too many open files";
        return ": if it is in WAL mode, its -wal and -shm files must be there, or the directory must be writable; immutable=1 opens a file that nobody writes";
    }
    if (errno == EACCES) return ": this process has no permission for a directory of this path";
    if (size == 0 || size >= capacity) return ": it does not exist";
    memcpy(block, base->path, size);
    block[size] = '\0'; /* the directory */
    if (stat(block, &file) != 0) return ": its directory does not exist; create it or correct the path (sqlite:///a.db, sqlite:////dir/a.db)";
    if (!S_ISDIR(file.st_mode)) return ": what should be its directory is a file";
    if (access(block, W_OK | X_OK) != 0) return ": it does not exist, and this process may not create it there";
    if (base->read_only) return ": it does not exist, and is opened for reading only";
    return ": it does not exist, and mode=rw does not create it (mode=rwc does)";
#else
    int native = sqlite3_system_errno(q->db);
    if (base->memory || native == 0) return "";
    dbm__format(block, capacity, ": error %d of the system; look whether the directory exists and may be written", native);
    return block;
#endif
}

/* Whether dbm_cancel was called: during this operation, or so shortly before it that it found none to cancel. */
DBM__INLINE bool dbm__sqlite_cancelled(dbm__sqlite *q) {
    return dbm__load(&q->state) == DBM__SQLITE_CANCELLED || (dbm__load(&q->c->cancelled) != 0 && !q->ending);
}

/* Reports what the connection's last call answered. Called before the statement is reset. */
static DBM__NOINLINE dbm_status dbm__sqlite_fail(dbm__sqlite *q, int rc) {
    const char *said, *sqlstate;
    dbm_status status;
    bool retryable, cancelled = dbm__sqlite_cancelled(q), timed_out = q->timed_out;
    int primary = rc & 0xff;
    char why[DBM__SQLITE_PATH < 600 ? DBM__SQLITE_PATH : 600], block[1000];
    dbm__text t = dbm__text_in(block, sizeof block);
    dbm__store(&q->state, DBM__SQLITE_IDLE);
    q->timed_out = false;
    if (q->db != NULL && (sqlite3_extended_errcode(q->db) & 0xff) == primary) {
        if (rc == primary) rc = sqlite3_extended_errcode(q->db);
        said = sqlite3_errmsg(q->db);
    } else {
        said = sqlite3_errstr(rc);
    }
    status = dbm__sqlite_status(rc, &sqlstate, &retryable);
    if (status == DBM_E_NOMEM) return dbm_adapter_fail(q->c, status, sqlstate, rc, NULL);
    if (status == DBM_E_CONSTRAINT && !q->connecting) return dbm__sqlite_constraint(q, rc, sqlstate, said);
    if (primary == SQLITE_BUSY && cancelled) {
        status = DBM_E_CANCELLED;
        sqlstate = "57014";
        retryable = false;
    }
    if (primary == SQLITE_INTERRUPT && timed_out && !cancelled) status = DBM_E_TIMEOUT;
    if ((primary == SQLITE_IOERR || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ||
         rc == SQLITE_READONLY_DBMOVED) && rc != SQLITE_CORRUPT_VTAB && !q->base->memory) {
        dbm_adapter_broken(q->c);
    }
    if (status == DBM_E_LOST && q->base->memory) status = DBM_E_SQL; /* of a temporary file: the database is well */
    if (q->connecting && status != DBM_E_CANCELLED) status = DBM_E_CONNECT;
    if (q->connecting && (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY)) { /* of files that it may not make beside this one */
        sqlstate = "08001";
        dbm__putf(&t, "can't open %q%s", q->base->path, dbm__sqlite_why(q, why, sizeof why));
    } else if (q->connecting && primary == SQLITE_NOTADB) {
        dbm__putf(&t, "%q is not an SQLite database, or it is encrypted", q->base->path);
    } else if (q->connecting) {
        dbm__putf(&t, primary == SQLITE_BUSY ? "can't open %q: %s; waited %m" : "can't open %q: %s", q->base->path, said, q->waited_us);
    } else if (status == DBM_E_CANCELLED) {
        dbm__putf(&t, "cancelled by %s", DBM__CANCELLED_BY(&q->c->cancelled));
    } else if (primary == SQLITE_INTERRUPT) {
        dbm__put(&t, "the deadline passed while the statement was running, and it was stopped");
    } else if (status == DBM_E_SERIALIZATION) {
        dbm__put(&t, "another connection has written since this transaction first read; run it again (DBM_RETRY does), or begin it with .write = 1");
    } else if (primary == SQLITE_BUSY && strstr(said, "in progress") != NULL) {
        status = DBM_E_MISUSE;
        retryable = false;
        dbm__putf(&t, "%s: end the queries of this session first", said);
    } else if (primary == SQLITE_BUSY && q->waited_us == 0) {
        dbm__putf(&t, "%s: another connection is committing and waits for this transaction to end; run it again", said);
    } else if (primary == SQLITE_BUSY) {
        dbm__putf(&t, "%s by another process or connection: waited %m%s", said, q->waited_us, timed_out ? ", until the deadline" : " (busy_timeout)");
    } else if (rc == SQLITE_LOCKED) {
        dbm__putf(&t, "%s: a query of this session is still being read; this statement needs it ended (leave DBM_EACH, or dbm_rows_end)", said);
    } else if (rc == SQLITE_READONLY_DBMOVED) {
        dbm__putf(&t, "%q was moved, replaced or deleted while it was open", q->base->path);
    } else if (status == DBM_E_READ_ONLY) {
        dbm__putf(&t, "%s: %q was opened with mode=ro, or the file or its directory may not be written", said, q->base->path);
    } else if (primary == SQLITE_IOERR || primary == SQLITE_CORRUPT || primary == SQLITE_CANTOPEN || primary == SQLITE_FULL || primary == SQLITE_NOTADB) {
        int native = sqlite3_system_errno(q->db);
        dbm__putf(&t, native != 0 ? "%s: %q (code %d, error %d of the system)" : "%s: %q (code %d)", said, q->base->path, rc, native);
    } else {
        int offset = q->db != NULL ? DBM__SQLITE_OFFSET(q->db) : -1;
        if (primary == SQLITE_ERROR) sqlstate = dbm__sqlite_sqlstate(said);
        dbm__putf(&t, offset >= 0 ? "%s (at byte %d of the statement)" : "%s", said, offset + 1);
    }
    dbm__text_end(&t);
    dbm_adapter_fail(q->c, status, sqlstate, rc, block);
    if (retryable) dbm_adapter_fail_retryable(q->c);
    return status;
}

static dbm_status dbm__sqlite_no_memory(dbm__sqlite *q) {
    return dbm_adapter_fail(q->c, DBM_E_NOMEM, "53200", 0, NULL);
}

/* ---- waiting and being stopped ----------------------------------------------------------------------------------- */

/* SQLite asks this when a lock is taken: wait and try again (1), or give up (0). */
static int dbm__sqlite_busy(void *data, int count) {
    static const unsigned short steps[] = { 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 20000 };
    dbm__sqlite *q = (dbm__sqlite *)data;
    int64_t now = dbm_adapter_clock(q->owner), left, step;
    if (count == 0) {
        q->wait_from = now;
        q->slept_us = 0;
    }
    q->waited_us = now - q->wait_from > q->slept_us ? now - q->wait_from : q->slept_us;
    left = q->base->busy_us - q->waited_us;
    q->timed_out = q->deadline_us != INT64_MAX && q->deadline_us - now < left;
    if (q->timed_out) left = q->deadline_us - now;
    if (q->waited_us == 0) q->waited_us = 1; /* that it was asked is seen by this */
    if (left <= 0 || dbm__sqlite_cancelled(q)) return 0;
    q->timed_out = false;
    step = (size_t)count < sizeof steps / sizeof steps[0] ? steps[count] : 25000;
    if (step > left) step = left;
    dbm__sleep_us(step);
    q->slept_us += step;
    return 1;
}

/* SQLite asks this now and then while a statement runs, and once more when it has run: then it is too late to stop
 * it, since what it did may be committed. */
static int dbm__sqlite_progress(void *data) {
    dbm__sqlite *q = (dbm__sqlite *)data;
    bool cancelled = dbm__sqlite_cancelled(q);
    if (!cancelled && (q->deadline_us == INT64_MAX || dbm_adapter_clock(q->owner) < q->deadline_us)) return 0;
    if (q->running == NULL || !sqlite3_stmt_busy(q->running)) return 0;
    q->timed_out = !cancelled;
    return 1;
}

/* In a transaction that has read, SQLite answers BUSY at once when somebody else is writing. In WAL mode that writer
 * does not wait for us, so waiting is safe: it ends with the lock, with BUSY_SNAPSHOT because that writer committed,
 * or with busy_timeout. */
static DBM__NOINLINE int dbm__sqlite_await_writer(dbm__sqlite *q, sqlite3_stmt *stmt, int rc) {
    int count = 0;
    if (q->waited_us != 0 || !q->wal || sqlite3_get_autocommit(q->db)) return rc;
    while (rc == SQLITE_BUSY && dbm__sqlite_busy(q, count++)) {
        sqlite3_reset(stmt);
        rc = sqlite3_step(stmt);
    }
    return rc;
}

static void dbm__sqlite_cancel(dbm_connection *c) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    dbm__word active = DBM__SQLITE_ACTIVE;
    if (q != NULL && dbm__cas(&q->state, &active, DBM__SQLITE_CANCELLED)) sqlite3_interrupt(q->db);
}

/* An operation begins, and ends. dbm__sqlite_fail() ends it too. */
DBM__INLINE void dbm__sqlite_enter(dbm__sqlite *q, sqlite3_stmt *running, int64_t deadline_us) {
    q->deadline_us = deadline_us;
    q->waited_us = 0;
    q->running = running;
    dbm__store(&q->state, DBM__SQLITE_ACTIVE);
}
DBM__INLINE void dbm__sqlite_leave(dbm__sqlite *q) { dbm__store(&q->state, DBM__SQLITE_IDLE); }

#if DBM__THREADS
/* SQLite asks this when it has committed in WAL mode. Its own answer is a checkpoint from 1,000 pages on; the disk may take its time for that, so the
 * next writer need not wait until it is done. But the WAL begins anew only after a checkpoint behind which nobody has written. Until then the file
 * grows, and to sync a file that has grown costs twice as much. So the few pages that were written beside a checkpoint are copied by another one
 * before the next writer's turn; and all pages when others write so fast that there are never few, and the WAL has grown too large. */
static int dbm__sqlite_committed(void *data, sqlite3 *db, const char *schema, int pages) {
    dbm__sqlite *q = (dbm__sqlite *)data;
    dbm__word last = dbm__load(&q->base->checkpoint), here = 2u * (dbm__word)pages;
    bool rest = (last & 1u) != 0 && here - last < 2u * DBM__SQLITE_FEW;
    int copied = 0;
    if (DBM__LIKELY(pages < DBM__SQLITE_CHECKPOINT)) {
        if (DBM__UNLIKELY(last != 0)) dbm__store(&q->base->checkpoint, 0);
        return SQLITE_OK;
    }
    if (!rest && here >= last && here < last + 2u * DBM__SQLITE_CHECKPOINT) return SQLITE_OK; /* fewer than last: a new one, by a large transaction */
    if (!dbm__cas(&q->base->checkpoint, &last, here)) return SQLITE_OK;
    if (!rest && pages < DBM__SQLITE_WAL_MAX) dbm_adapter_written(q->c);
    (void)sqlite3_wal_checkpoint_v2(db, schema, SQLITE_CHECKPOINT_PASSIVE, NULL, &copied); /* what it leaves undone the next one does */
    if (!rest && copied >= pages) (void)dbm__cas(&q->base->checkpoint, &here, 2u * (dbm__word)copied + 1u);
    return SQLITE_OK;
}
#endif

/* ---- small statements of our own --------------------------------------------------------------------------------- */

/* Runs one statement; the first column of its first row becomes a text. */
static int dbm__sqlite_run(dbm__sqlite *q, const char *sql, char *out, size_t capacity) {
    sqlite3_stmt *stmt = NULL;
    int rc;
    if (capacity != 0) out[0] = '\0';
    rc = sqlite3_prepare_v2(q->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK) return rc;
    q->running = stmt;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && capacity != 0) dbm__copy_cut(out, capacity, (const char *)sqlite3_column_text(stmt, 0));
    while (rc == SQLITE_ROW) rc = sqlite3_step(stmt);
    q->running = NULL;
    if (rc == SQLITE_DONE) rc = SQLITE_OK;
    (void)sqlite3_finalize(stmt); /* the connection still knows an error */
    return rc;
}

/* A word that is not kept, or not yet. */
static DBM__NOINLINE int dbm__sqlite_word_unkept(dbm__sqlite *q, int word) {
    static const char *const fixed[] = { "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "PRAGMA schema_version" };
    static const char *const levels[] = { "SAVEPOINT", "RELEASE", "ROLLBACK TO" };
    int level = word - DBM__SQLITE_SAVEPOINT, rc;
    unsigned bit = word < DBM__SQLITE_WORDS ? 1u << word : 0;
    char text[40];
    if (level < 0) dbm__copy_cut(text, sizeof text, fixed[word]);
    else dbm__format(text, sizeof text, "%s dbm_%d", levels[level % 3], level / 3 + 1);
    rc = dbm__sqlite_run(q, text, NULL, 0);
    if (rc == SQLITE_OK && (q->used & bit)) (void)sqlite3_prepare_v3(q->db, text, -1, SQLITE_PREPARE_PERSISTENT, &q->words[word], NULL);
    q->used |= bit;
    return rc;
}

static dbm_status dbm__sqlite_word(dbm__sqlite *q, int word, int64_t deadline_us) {
    sqlite3_stmt *stmt = DBM__LIKELY(word < DBM__SQLITE_WORDS) ? q->words[word] : NULL;
    dbm_status status;
    int rc;
    dbm__sqlite_enter(q, NULL, deadline_us); /* only its wait for a lock can be long */
    rc = DBM__LIKELY(stmt != NULL) ? sqlite3_step(stmt) : dbm__sqlite_word_unkept(q, word);
    if (DBM__LIKELY(rc == SQLITE_DONE || rc == SQLITE_ROW || rc == SQLITE_OK)) {
        sqlite3_reset(stmt);
        dbm__sqlite_leave(q);
        return DBM_OK;
    }
    status = dbm__sqlite_fail(q, rc);
    sqlite3_reset(stmt);
    return status;
}

/* ---- transactions ------------------------------------------------------------------------------------------------ */

static DBM__NOINLINE dbm_status dbm__sqlite_begin(dbm__sqlite *q, dbm_op *op) {
    dbm_status status;
    if (DBM__UNLIKELY(op->isolation == DBM_READ_COMMITTED || op->isolation == DBM_REPEATABLE_READ)) {
        return dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, NULL, 0, "SQLite has the isolation levels SERIALIZABLE (its default), READ UNCOMMITTED and "
                                "AUTOCOMMIT");
    }
    status = dbm__sqlite_word(q, op->write ? DBM__SQLITE_IMMEDIATE : DBM__SQLITE_BEGIN, op->deadline_us);
    q->read_only = op->read_only && status == DBM_OK;
    return status;
}

/* A word that ends a transaction: no dbm_cancel may stop it. */
static dbm_status dbm__sqlite_end(dbm__sqlite *q, int word, int64_t deadline_us) {
    dbm_status status;
    q->ending = true;
    status = dbm__sqlite_word(q, word, deadline_us);
    q->ending = false;
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_commit(dbm__sqlite *q, dbm_op *op) {
    q->read_only = false;
    if (DBM__UNLIKELY(sqlite3_get_autocommit(q->db))) {
        return dbm__adapter_say(q->c, DBM_E_ROLLED_BACK, "25P01", 0, "SQLite had already rolled this transaction back when one of its statements "
                                "failed; nothing was committed");
    }
    return dbm__sqlite_end(q, DBM__SQLITE_COMMIT, op->deadline_us);
}

static void dbm__sqlite_reset_all(dbm__sqlite *q) {
    sqlite3_stmt *stmt = NULL;
    while ((stmt = sqlite3_next_stmt(q->db, stmt)) != NULL) sqlite3_reset(stmt);
}

static DBM__NOINLINE dbm_status dbm__sqlite_rollback(dbm__sqlite *q, dbm_op *op) {
    dbm_status status;
    q->read_only = false;
    if (sqlite3_get_autocommit(q->db)) return DBM_OK; /* a statement that failed has rolled back already */
    status = dbm__sqlite_end(q, DBM__SQLITE_ROLLBACK, op->deadline_us);
    if (DBM__LIKELY(status == DBM_OK)) return status;
    /* After an interrupt SQLite interrupts everything else too, as long as any statement is in progress. */
    dbm__sqlite_reset_all(q);
    if (sqlite3_get_autocommit(q->db)) return DBM_OK;
    status = dbm__sqlite_end(q, DBM__SQLITE_ROLLBACK, op->deadline_us);
    if (status != DBM_OK && !q->base->memory) dbm_adapter_broken(q->c);
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_savepoint(dbm__sqlite *q, dbm_op *op) {
    int word = DBM__SQLITE_SAVEPOINT + 3 * (op->savepoint - 1);
    dbm_status status;
    if (op->savepoint < 1) return dbm__adapter_say(q->c, DBM_E_MISUSE, NULL, 0, "savepoints are numbered from 1, not %d", op->savepoint);
    if (op->kind == DBM_OP_SAVEPOINT) return dbm__sqlite_word(q, word, op->deadline_us);
    if (op->kind == DBM_OP_RELEASE) return dbm__sqlite_word(q, word + 1, op->deadline_us);
    status = dbm__sqlite_word(q, word + 2, op->deadline_us);
    return status == DBM_OK ? dbm__sqlite_word(q, word + 1, op->deadline_us) : status;
}

/* ---- statements: prepare ----------------------------------------------------------------------------------------- */

/* Whether nothing but blanks, comments and semicolons is left. */
static bool dbm__sqlite_nothing(const char *sql, size_t size) {
    size_t next;
    while (size != 0 && dbm__sql_statement_end(sql, size, DBM__SQLITE_LEXER, &next) == 0) {
        sql += next;
        size -= next;
    }
    return size == 0;
}

/* The parameters that SQLite sees are not the `?` that were counted: one of them has a name or a number. */
static dbm_status dbm__sqlite_parameters(dbm__sqlite *q, sqlite3_stmt *stmt, int found, int counted) {
    int i;
    for (i = 1; i <= found; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt, i);
        if (name == NULL) continue;
        if (name[0] == '?') {
            return dbm__adapter_say(q->c, DBM_E_MISUSE, "42P02", 0, "the parameter %s is numbered: write ? for each value, or :name and pass "
                                    "dbm_named(\"name\", value)", name);
        }
        return dbm__adapter_say(q->c, DBM_E_MISUSE, "42P02", 0, "the parameter %s has a name: write :%s and pass dbm_named(\"%s\", value), or write "
                                "? for each value", name, name + 1, name + 1);
    }
    return dbm__adapter_say(q->c, DBM_E_MISUSE, "42P02", 0, "SQLite sees %d parameters in this statement where dbm.h counted %d", found, counted);
}

static DBM__NOINLINE dbm_status dbm__sqlite_prepare(dbm__sqlite *q, dbm_op *op) {
    dbm_prepared *p = op->prepared;
    const char *sql = p->sql, *tail = NULL;
    sqlite3_stmt *stmt = NULL;
    dbm__sqlite_statement *s;
    int rc, found;
    if (p->sql_size >= INT_MAX) return dbm__sqlite_fail(q, SQLITE_TOOBIG);
    dbm__sqlite_enter(q, NULL, op->deadline_us);
    /* One byte more, the NUL: so SQLite need not copy the text. */
    rc = sqlite3_prepare_v3(q->db, sql, (int)p->sql_size + 1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    dbm__sqlite_leave(q);
    if (stmt == NULL) return dbm__adapter_say(q->c, DBM_E_MISUSE, "42601", 0, "the statement is empty, or only a comment");
    if (tail != NULL && !dbm__sqlite_nothing(tail, (size_t)(sql + p->sql_size - tail))) {
        sqlite3_finalize(stmt);
        return dbm__adapter_say(q->c, DBM_E_MISUSE, "42601", 0, "there is text after the first statement, at byte %d: one statement at a time; use "
                                "dbm_script for several", (int)(tail - sql) + 1);
    }
    found = sqlite3_bind_parameter_count(stmt);
    if (found != p->parameters) {
        dbm_status status = dbm__sqlite_parameters(q, stmt, found, p->parameters);
        sqlite3_finalize(stmt);
        return status;
    }
    s = (dbm__sqlite_statement *)dbm__adapter_zeroed(q->owner, sizeof *s);
    if (s == NULL) {
        sqlite3_finalize(stmt);
        return dbm__sqlite_no_memory(q);
    }
    s->stmt = stmt;
    s->q = q;
    s->parameters = found;
    s->writes = !sqlite3_stmt_readonly(stmt) && !DBM__SQLITE_EXPLAINS(stmt);
    s->rows = sqlite3_column_count(stmt) > 0;
    if (s->writes) {
        s->inserts = dbm__sql_begins(sql, p->sql_size, DBM__SQLITE_LEXER, "INSERT REPLACE WITH ");
        s->counts = s->inserts || dbm__sql_begins(sql, p->sql_size, DBM__SQLITE_LEXER, "UPDATE DELETE ");
        s->reads_id = dbm__sql_calls(sql, p->sql_size, DBM__SQLITE_LEXER, "LAST_INSERT_ROWID ");
    } else {
        s->random = dbm__sql_calls(sql, p->sql_size, DBM__SQLITE_LEXER, "RANDOM RANDOMBLOB ");
    }
    p->data = s;
    p->writes = s->writes;
    p->returns_rows = s->rows;
    p->single = true;
    return DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__sqlite_unprepare(dbm__sqlite *q, dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->prepared->data;
    if (s == NULL) return DBM_OK;
    op->prepared->data = NULL;
    if (q->epoch == dbm__fork_epoch()) { /* else disconnect sees to it */
        if (q->running == s->stmt) q->running = NULL;
        sqlite3_finalize(s->stmt);
    }
    dbm_adapter_free(q->owner, s);
    return DBM_OK;
}

/* ---- statements: bind -------------------------------------------------------------------------------------------- */

static DBM__NOINLINE dbm_status dbm__sqlite_bind_failed(dbm__sqlite *q, const dbm_value *v, int number, int rc) {
    if (rc == SQLITE_NOMEM) return dbm__sqlite_no_memory(q);
    if (rc == SQLITE_TOOBIG) {
        return dbm__adapter_say(q->c, DBM_E_LIMIT, "54000", rc, "parameter %d has %z bytes, more than SQLite takes (SQLITE_LIMIT_LENGTH)", number,
                                v->as.text.size);
    }
    return dbm__adapter_say(q->c, DBM_E_MISUSE, NULL, rc, "parameter %d can't be bound: %s", number, sqlite3_errstr(rc));
}

static DBM__NOINLINE dbm_status dbm__sqlite_value_refused(dbm__sqlite *q, const dbm_value *v, int number) {
    if (v->type == DBM_TYPE_UINT) {
        return dbm__adapter_say(q->c, DBM_E_RANGE, "22003", 0, "parameter %d is %u: SQLite's integers end at 9223372036854775807", number, v->as.uinteger);
    }
    if (v->type == DBM_TYPE_DOUBLE) {
#if DBM__FLOAT
        return dbm__adapter_say(q->c, DBM_E_RANGE, "22003", 0, "parameter %d is not a number (NaN), which SQLite would store as NULL; pass "
                                "dbm_null() if that is meant", number);
#else
        return dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, NULL, 0, "parameter %d is a double, and dbm.h was built with DBM_NO_FLOAT", number);
#endif
    }
    if (v->type == DBM_TYPE_TIMESTAMP) return dbm__adapter_say(q->c, DBM_E_RANGE, "22008", 0, "parameter %d is a timestamp outside of the years 0001 to 9999", number);
    return dbm__adapter_say(q->c, DBM_E_MISUSE, NULL, 0, "parameter %d has a type that can't be a value", number);
}

/* Binds parameter `number`, from 1. Texts stay where they are: the caller keeps them until FINISH. */
static DBM__NOINLINE dbm_status dbm__sqlite_bind_one(dbm__sqlite *q, sqlite3_stmt *stmt, const dbm_value *v, int number) {
    const char *data = v->as.text.data;
    int rc = SQLITE_OK;
    switch (v->type) {
    case DBM_TYPE_INT: case DBM_TYPE_BOOL:
        rc = sqlite3_bind_int64(stmt, number, v->as.integer);
        break;
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
        rc = sqlite3_bind_text64(stmt, number, data != NULL ? data : "", v->as.text.size, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case DBM_TYPE_NULL:
        rc = sqlite3_bind_null(stmt, number);
        break;
    case DBM_TYPE_DOUBLE:
#if DBM__FLOAT
        if (v->as.real != v->as.real) return dbm__sqlite_value_refused(q, v, number);
        rc = sqlite3_bind_double(stmt, number, v->as.real);
        break;
#else
        return dbm__sqlite_value_refused(q, v, number);
#endif
    case DBM_TYPE_UINT:
        if (v->as.uinteger > (uint64_t)INT64_MAX) return dbm__sqlite_value_refused(q, v, number);
        rc = sqlite3_bind_int64(stmt, number, (sqlite3_int64)v->as.uinteger);
        break;
    case DBM_TYPE_BLOB: /* without an address it would become NULL */
        rc = sqlite3_bind_blob64(stmt, number, data != NULL ? data : "", v->as.text.size, SQLITE_STATIC);
        break;
    case DBM_TYPE_TIMESTAMP: {
        char text[32];
        dbm__timestamp_write(v->as.integer, text);
        if (text[0] < '0' || memcmp(text, "0000", 4) == 0) return dbm__sqlite_value_refused(q, v, number);
        rc = sqlite3_bind_text(stmt, number, text, -1, SQLITE_TRANSIENT);
        break;
    }
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED:
        return dbm__sqlite_value_refused(q, v, number);
    }
    return rc == SQLITE_OK ? DBM_OK : dbm__sqlite_bind_failed(q, v, number, rc);
}

static DBM__HOT DBM__NOINLINE dbm_status dbm__sqlite_bind(dbm__sqlite_statement *s, sqlite3_stmt *stmt, const dbm_value *v, int count) {
    int i;
    for (i = 1; i <= count; i++, v++) {
        int rc = SQLITE_MISUSE;
        dbm_status status;
        if (DBM__LIKELY(v->type == DBM_TYPE_INT)) rc = sqlite3_bind_int64(stmt, i, v->as.integer);
        else if (v->type == DBM_TYPE_TEXT && v->as.text.data != NULL) rc = sqlite3_bind_text64(stmt, i, v->as.text.data, v->as.text.size, SQLITE_STATIC, SQLITE_UTF8);
#if DBM__FLOAT
        else if (v->type == DBM_TYPE_DOUBLE && v->as.real == v->as.real) rc = sqlite3_bind_double(stmt, i, v->as.real);
#endif
        if (DBM__LIKELY(rc == SQLITE_OK)) continue;
        s->unbound = i - 1;
        status = dbm__sqlite_bind_one(s->q, stmt, v, i);
        if (status != DBM_OK) return status;
    }
    return DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__sqlite_step_failed(dbm__sqlite *q, dbm__sqlite_statement *s, int rc) {
    dbm_status status = dbm__sqlite_fail(q, rc);
    sqlite3_reset(s->stmt);
    s->ended = true;
    return status;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The value in a column. False: no memory. Reading a text may end in a failed allocation, which looks like NULL. */
DBM__INLINE bool dbm__sqlite_value(sqlite3_stmt *stmt, int i, dbm_value *out) {
    sqlite3_value *v = sqlite3_column_value(stmt, i);
    int type = sqlite3_value_type(v);
    out->name = NULL;
    if (DBM__LIKELY(type == SQLITE_INTEGER)) {
        out->type = DBM_TYPE_INT;
        out->as.integer = sqlite3_value_int64(v);
        return true;
    }
    if (DBM__LIKELY(type == SQLITE_TEXT)) {
        out->type = DBM_TYPE_TEXT;
        out->as.text.data = (const char *)sqlite3_value_text(v);
        out->as.text.size = (size_t)sqlite3_value_bytes(v);
        return DBM__LIKELY(out->as.text.data != NULL);
    }
    if (type == SQLITE_FLOAT) {
#if DBM__FLOAT
        out->type = DBM_TYPE_DOUBLE;
        out->as.real = sqlite3_value_double(v);
        return true;
#else
        out->type = DBM_TYPE_DECIMAL;
        out->as.text.data = (const char *)sqlite3_value_text(v);
        out->as.text.size = (size_t)sqlite3_value_bytes(v);
        return out->as.text.data != NULL;
#endif
    }
    out->type = type == SQLITE_BLOB ? DBM_TYPE_BLOB : DBM_TYPE_NULL;
    out->as.integer = 0;
    if (type != SQLITE_BLOB) return true;
    out->as.text.data = (const char *)sqlite3_value_blob(v);
    out->as.text.size = (size_t)sqlite3_value_bytes(v);
    if (out->as.text.data != NULL) return true;
    out->as.text.data = "";
    return out->as.text.size == 0;
}

static dbm_value *dbm__sqlite_cells(dbm__sqlite_row *row) {
    return (dbm_value *)(void *)((char *)row + DBM__ASIDE_ALIGNED(sizeof *row));
}

static DBM__NOINLINE dbm_status dbm__sqlite_fetch_held(dbm__sqlite_statement *s) {
    if (s->row != NULL) {
        s->row = s->row->next;
    } else { /* the row in hand was SQLite's, and may go now */
        sqlite3_reset(s->stmt);
        s->row = s->first;
    }
    s->ended = s->row == NULL;
    s->seen += s->row != NULL;
    return s->row != NULL ? DBM_OK : DBM_DONE;
}

static DBM__HOT dbm_status dbm__sqlite_fetch(dbm_connection *c, dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    dbm__sqlite *q;
    int rc;
    (void)c;
    if (s == NULL || s->ended) return DBM_DONE;
    if (DBM__UNLIKELY(s->held)) return dbm__sqlite_fetch_held(s);
    q = s->q;
    dbm__sqlite_enter(q, s->stmt, op->deadline_us);
    rc = sqlite3_step(s->stmt);
    s->touched = false;
    if (DBM__UNLIKELY(rc != SQLITE_ROW && rc != SQLITE_DONE)) return dbm__sqlite_step_failed(q, s, rc);
    dbm__sqlite_leave(q);
    if (DBM__LIKELY(rc == SQLITE_ROW)) {
        s->seen++;
        return DBM_OK;
    }
    s->ended = true;
    return DBM_DONE;
}

static DBM__NOINLINE dbm_status dbm__sqlite_column_failed(dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    (void)sqlite3_column_bytes(s->stmt, 0); /* whichever column: SQLite learns that the failure was noticed */
    return dbm__sqlite_no_memory(s->q);
}

static DBM__NOINLINE dbm_status dbm__sqlite_column_held(const dbm__sqlite_statement *s, int i, dbm_value *out) {
    if ((unsigned)i < (unsigned)s->columns) *out = dbm__sqlite_cells(s->row)[i];
    else *out = dbm_null(); /* as SQLite has it */
    return DBM_OK;
}

static DBM__HOT dbm_status dbm__sqlite_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    (void)c;
    if (DBM__UNLIKELY(s->row != NULL)) return dbm__sqlite_column_held(s, i, out);
    s->touched = true;
    return DBM__LIKELY(dbm__sqlite_value(s->stmt, i, out)) ? DBM_OK : dbm__sqlite_column_failed(op);
}

static const char *dbm__sqlite_column_name(dbm_connection *c, dbm_op *op, int i) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    const char *name = s != NULL ? sqlite3_column_name(s->stmt, i) : NULL;
    (void)c;
    return name != NULL ? name : "";
}

/* ---- rows put aside ---------------------------------------------------------------------------------------------- */

static void dbm__sqlite_drop(dbm__sqlite_statement *s) {
    dbm__aside_drop(s->q->owner, &s->aside, &s->q->spare);
    s->first = s->row = NULL;
}

/* Copies the row that stmt stands on. */
static dbm_status dbm__sqlite_copy(dbm__sqlite_statement *s, sqlite3_stmt *stmt, size_t limit, dbm__sqlite_row **out) {
    dbm_status status = DBM_OK;
    size_t size = DBM__ASIDE_ALIGNED(sizeof(dbm__sqlite_row)) + (size_t)s->columns * sizeof(dbm_value);
    dbm__sqlite_row *row = (dbm__sqlite_row *)dbm__aside_room(s->q->owner, &s->aside, &s->q->spare, size, limit, &status);
    dbm_value *cells;
    int i;
    if (row == NULL) return status;
    row->next = NULL;
    cells = dbm__sqlite_cells(row);
    for (i = 0; i < s->columns; i++) {
        char *text;
        if (!dbm__sqlite_value(stmt, i, &cells[i])) {
            (void)sqlite3_column_bytes(stmt, i);
            return DBM_E_NOMEM;
        }
        if (cells[i].type != DBM_TYPE_TEXT && cells[i].type != DBM_TYPE_BLOB && cells[i].type != DBM_TYPE_DECIMAL) continue;
        text = (char *)dbm__aside_room(s->q->owner, &s->aside, &s->q->spare, cells[i].as.text.size + 1, limit, &status);
        if (text == NULL) return status;
        memcpy(text, cells[i].as.text.data, cells[i].as.text.size);
        text[cells[i].as.text.size] = '\0';
        cells[i].as.text.data = text;
    }
    *out = row;
    return DBM_OK;
}

/* Copies rows from stmt until its end. `rc` is what its last step answered. */
static dbm_status dbm__sqlite_copy_rest(dbm__sqlite_statement *s, sqlite3_stmt *stmt, int rc, size_t limit) {
    dbm__sqlite *q = s->q;
    dbm__sqlite_row **last = &s->first;
    int64_t count = 0;
    for (; rc == SQLITE_ROW; rc = sqlite3_step(stmt)) {
        dbm_status status = dbm__sqlite_copy(s, stmt, limit, last);
        if (status == DBM_E_NOMEM) return dbm__sqlite_no_memory(q);
        if (status != DBM_OK) {
            return dbm__adapter_say(q->c, DBM_E_LIMIT, "54000", 0, "a statement that writes needs the rest of the rows of this query put aside, and "
                                    "they do not fit into row_buffer (%z bytes; %l rows are read, %l more did fit): raise row_buffer, read fewer "
                                    "rows at a time (LIMIT), or write after the loop", limit, s->seen, count);
        }
        count++;
        last = &(*last)->next;
    }
    return rc == SQLITE_DONE ? DBM_OK : dbm__sqlite_fail(q, rc);
}

/* As long as no column of the row in hand was read, it can be copied too, and stepping on is safe. */
static dbm_status dbm__sqlite_hold_here(dbm__sqlite_statement *s, size_t limit) {
    dbm_status status = dbm__sqlite_copy_rest(s, s->stmt, SQLITE_ROW, limit);
    sqlite3_reset(s->stmt); /* the row in hand can't be gone back to, so that a failure ends the result */
    if (status != DBM_OK) s->ended = true;
    s->row = s->first;
    return status;
}

/* Else the rows come from a second run, past those already seen, while the first one stands: stepping it would free
 * the texts that were handed out. */
static dbm_status dbm__sqlite_hold_aside(dbm__sqlite_statement *s, const dbm_op *op) {
    dbm__sqlite *q = s->q;
    sqlite3_stmt *again = NULL;
    dbm_status status;
    int64_t i;
    int rc = sqlite3_prepare_v2(q->db, sqlite3_sql(s->stmt), -1, &again, NULL);
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    status = dbm__sqlite_bind(s, again, op->values, op->value_count);
    if (status == DBM_OK) {
        q->running = again;
        rc = sqlite3_step(again);
        for (i = 0; i < s->seen && rc == SQLITE_ROW; i++) rc = sqlite3_step(again);
        if (i < s->seen && rc == SQLITE_DONE) {
            status = dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, NULL, 0, "this query gave fewer rows when it was run again, so that the rest of its "
                                      "rows can't be put aside for a statement that writes: write after the loop");
        } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            status = dbm__sqlite_fail(q, rc);
        } else if (sqlite3_column_count(again) != s->columns) {
            status = dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, NULL, 0, "the columns of this query changed while it was being read");
        } else {
            status = dbm__sqlite_copy_rest(s, again, rc, op->row_buffer);
        }
        q->running = NULL;
    }
    sqlite3_finalize(again);
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_hold(dbm__sqlite *q, dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    dbm_status status;
    if (s == NULL || s->ended || s->held) return DBM_OK;
    if (s->random && s->touched) {
        return dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, NULL, 0, "this query calls random(), so that another run would give other rows: write after "
                                "the loop, or read all of its rows first");
    }
    dbm__sqlite_enter(q, s->stmt, op->deadline_us);
    status = s->touched ? dbm__sqlite_hold_aside(s, op) : dbm__sqlite_hold_here(s, op->row_buffer);
    dbm__sqlite_leave(q);
    if (status == DBM_OK) s->held = true;
    else dbm__sqlite_drop(s);
    return status;
}

/* ---- statements: run --------------------------------------------------------------------------------------------- */

/* A statement whose first step gave no row, or one that has none. */
static DBM__NOINLINE dbm_status dbm__sqlite_no_row(dbm__sqlite *q, dbm__sqlite_statement *s, dbm_op *op, int rc) {
    if (rc == SQLITE_BUSY) rc = dbm__sqlite_await_writer(q, s->stmt, rc);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return dbm__sqlite_step_failed(q, s, rc);
    dbm__sqlite_leave(q);
    op->row = rc == SQLITE_ROW;
    s->ended = !op->row;
    if (s->rows || op->row) {
        s->seen = op->row;
        s->columns = op->columns = sqlite3_column_count(s->stmt);
        op->result = s;
    } else {
        sqlite3_reset(s->stmt);
        op->columns = 0;
        op->result = NULL;
    }
    return DBM_OK;
}

/* RETURNING. SQLite has done all of the work when it gives the first row, but checks foreign keys and commits after
 * the last one: so all rows are put aside at once, and a failure is one of EXECUTE. */
static DBM__NOINLINE dbm_status dbm__sqlite_returning(dbm__sqlite_statement *s, dbm_op *op, int rc) {
    dbm_status status = DBM_OK;
    s->columns = op->columns = sqlite3_column_count(s->stmt);
    op->result = s;
    op->row = rc == SQLITE_ROW;
    s->seen = op->row;
    s->ended = !op->row;
    s->held = true;
    if (op->row) status = dbm__sqlite_copy_rest(s, s->stmt, rc, op->row_buffer != 0 ? op->row_buffer : SIZE_MAX);
    s->row = s->first;
    op->settled = true;
    if (status == DBM_OK) return DBM_OK;
    if (sqlite3_stmt_busy(s->stmt)) { /* no memory for a row: ending it now would commit, so it is broken off */
        sqlite3_interrupt(s->q->db);
        (void)sqlite3_step(s->stmt);
    }
    op->result = NULL;
    op->row = false;
    dbm__sqlite_drop(s);
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_wrong_count(dbm__sqlite *q, int expected, int given) {
    return dbm__adapter_say(q->c, DBM_E_RANGE, "07001", 0, "the statement has %d placeholders, and %d values were passed", expected, given);
}

/* What comes before the first step. */
DBM__INLINE dbm_status dbm__sqlite_ready(dbm__sqlite_statement *s, const dbm_op *op) {
    dbm_status status;
    if (DBM__UNLIKELY(op->value_count != s->parameters)) return dbm__sqlite_wrong_count(s->q, s->parameters, op->value_count);
    status = dbm__sqlite_bind(s, s->stmt, op->values, op->value_count);
    if (DBM__UNLIKELY(status != DBM_OK)) return status;
    dbm__sqlite_enter(s->q, s->stmt, op->deadline_us);
    s->touched = s->ended = s->held = false;
    s->row = NULL;
    return DBM_OK;
}

/* The rows end. */
DBM__INLINE void dbm__sqlite_over(dbm__sqlite_statement *s, dbm_op *op) {
    op->result = NULL;
    sqlite3_reset(s->stmt); /* what it answers was reported by the step that failed */
    if (DBM__UNLIKELY(s->aside.chunks != NULL)) dbm__sqlite_drop(s);
}

/* A statement that writes. The last key is cleared before an INSERT, so that one without a key (WITHOUT ROWID, DO
 * NOTHING, DO UPDATE) does not show an older one; it is put back when no new one came, because SQL may ask for it
 * later. */
static DBM__HOT DBM__NOINLINE dbm_status dbm__sqlite_write(dbm__sqlite_statement *s, dbm_op *op) {
    dbm__sqlite *q = s->q;
    sqlite3_int64 id = 0, key = 0;
    int64_t total = 0;
    dbm_status status = dbm__sqlite_ready(s, op);
    int rc;
    if (DBM__UNLIKELY(status != DBM_OK)) return status;
    if (DBM__UNLIKELY(q->read_only || op->read_only)) {
        dbm__sqlite_leave(q);
        return dbm__adapter_say(q->c, DBM_E_READ_ONLY, "25006", 0, "this session is .read_only, and the statement writes");
    }
    if (!s->counts) total = DBM__SQLITE_TOTAL(q->db);
    if (s->inserts && !s->reads_id) {
        id = sqlite3_last_insert_rowid(q->db);
        if (id != 0) sqlite3_set_last_insert_rowid(q->db, 0);
    }
    rc = sqlite3_step(s->stmt);
    if (DBM__UNLIKELY(rc == SQLITE_BUSY)) rc = dbm__sqlite_await_writer(q, s->stmt, rc);
    if (DBM__LIKELY(!s->rows)) {
        while (DBM__UNLIKELY(rc == SQLITE_ROW)) rc = sqlite3_step(s->stmt);
        op->result = NULL;
        op->columns = 0;
        op->row = false;
    } else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        status = dbm__sqlite_returning(s, op, rc);
        rc = SQLITE_DONE;
    }
    if (s->inserts) {
        key = sqlite3_last_insert_rowid(q->db);
        if (DBM__UNLIKELY(key == 0) && id != 0) sqlite3_set_last_insert_rowid(q->db, id);
    }
    if (DBM__UNLIKELY(rc != SQLITE_DONE)) return dbm__sqlite_step_failed(q, s, rc);
    sqlite3_reset(s->stmt);
    dbm__sqlite_leave(q);
    op->affected = s->counts || DBM__SQLITE_TOTAL(q->db) != total ? DBM__SQLITE_CHANGES(q->db) : 0;
    if (s->inserts && !(s->reads_id && op->affected == 0)) op->last_id = key;
    return status;
}

/* ---- rows in bulk ------------------------------------------------------------------------------------------------ */

/* One INSERT, prepared by dbm.h, is bound and stepped for each row; nothing is gathered. */
static DBM__NOINLINE dbm_status dbm__sqlite_bulk(dbm__sqlite *q, dbm_op *op) {
    if (q->read_only) return dbm__adapter_say(q->c, DBM_E_READ_ONLY, "25006", 0, "this session is .read_only, and a bulk writes");
    op->bulk->data = op->prepared->data;
    return op->bulk->data != NULL ? DBM_OK : DBM_E_UNSUPPORTED;
}

static DBM__NOINLINE dbm_status dbm__sqlite_bulk_failed(dbm__sqlite *q, dbm__sqlite_statement *s, bool each_row, int rc) {
    dbm_status status;
    if (rc == SQLITE_BUSY) rc = dbm__sqlite_await_writer(q, s->stmt, rc);
    while (rc == SQLITE_ROW) rc = sqlite3_step(s->stmt);
    if (rc == SQLITE_DONE) {
        sqlite3_reset(s->stmt);
        return DBM_OK;
    }
    status = dbm__sqlite_step_failed(q, s, rc);
    /* ON CONFLICT ROLLBACK, or a disk that is full: no row before this one is left either. */
    return each_row && sqlite3_get_autocommit(q->db) ? dbm__adapter_say(q->c, DBM_E_ROLLED_BACK, "40000", rc, "the row ended the transaction") : status;
}

static dbm_status dbm__sqlite_bulk_row(dbm_connection *c, dbm_op *op, const dbm_value *values) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->bulk->data;
    dbm_status status = dbm__sqlite_bind(s, s->stmt, values, op->bulk->column_count);
    int rc;
    (void)c;
    if (DBM__UNLIKELY(status != DBM_OK)) {
        op->bulk->failed_column = s->unbound;
        return status;
    }
    dbm__sqlite_enter(s->q, s->stmt, op->deadline_us);
    rc = sqlite3_step(s->stmt);
    if (DBM__LIKELY(rc == SQLITE_DONE)) sqlite3_reset(s->stmt);
    else status = dbm__sqlite_bulk_failed(s->q, s, op->bulk->each_row, rc);
    dbm__sqlite_leave(s->q);
    return status;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static dbm_status dbm__sqlite_ping(dbm_connection *c, dbm_op *op) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    int moved = 0;
    if (!q->base->memory && sqlite3_file_control(q->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved) {
        /* In WAL mode SQLite itself never looks: it would go on with a file that nobody else sees. */
        dbm_adapter_broken(c);
        return dbm__adapter_say(q->c, DBM_E_LOST, "58030", SQLITE_READONLY_DBMOVED, "%q was moved, replaced or deleted while it was open", q->base->path);
    }
    return dbm__sqlite_word(q, DBM__SQLITE_PING, op->deadline_us); /* reads the file's first page */
}

static dbm_status dbm__sqlite_execute(dbm_connection *c, dbm_op *op);
static dbm_status dbm__sqlite_reset(dbm_connection *c, dbm_op *op);

static DBM__NOINLINE dbm_status dbm__sqlite_start_unprepared(dbm__sqlite *q, dbm_op *op) {
    dbm_status status = dbm__sqlite_prepare(q, op);
    if (status != DBM_OK || op->prepared->data == NULL) return status;
    return dbm__sqlite_execute(q->c, op);
}

static DBM__NOINLINE dbm_status dbm__sqlite_execute_other(dbm_connection *c, dbm_op *op) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    switch (op->kind) {
    case DBM_OP_EXECUTE: return dbm__sqlite_start_unprepared(q, op);
    case DBM_OP_FINISH:
        if (op->result != NULL) dbm__sqlite_over((dbm__sqlite_statement *)op->result, op);
        return DBM_OK;
    case DBM_OP_BEGIN: return dbm__sqlite_begin(q, op);
    case DBM_OP_COMMIT: return dbm__sqlite_commit(q, op);
    case DBM_OP_ROLLBACK: return dbm__sqlite_rollback(q, op);
    case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: return dbm__sqlite_savepoint(q, op);
    case DBM_OP_PREPARE: return dbm__sqlite_prepare(q, op);
    case DBM_OP_UNPREPARE: return dbm__sqlite_unprepare(q, op);
    case DBM_OP_HOLD: return dbm__sqlite_hold(q, op);
    case DBM_OP_FETCH: return dbm__sqlite_fetch(c, op);
    case DBM_OP_PING: return dbm__sqlite_ping(c, op);
    case DBM_OP_RESET: return dbm__sqlite_reset(c, op);
    case DBM_OP_NATIVE:
        q->deadline_us = INT64_MAX;
        op->native = q->db;
        return DBM_OK;
    case DBM_OP_BULK: return dbm__sqlite_bulk(q, op);
    case DBM_OP_BULK_SEND: case DBM_OP_BULK_END: return DBM_OK;
    case DBM_OP_CONNECT: case DBM_OP_SCRIPT: case DBM_OP_COMMAND:
    case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_LISTEN: case DBM_OP_NOTIFIED: case DBM__OP_SIGNED: break;
    }
    return DBM_E_UNSUPPORTED;
}

static DBM__HOT DBM__NOINLINE dbm_status dbm__sqlite_read(dbm__sqlite_statement *s, dbm_op *op) {
    dbm_status status;
    int rc;
    if (op->result != NULL) dbm__sqlite_over(s, op);
    status = dbm__sqlite_ready(s, op);
    if (DBM__UNLIKELY(status != DBM_OK)) return status;
    rc = sqlite3_step(s->stmt);
    if (DBM__UNLIKELY(rc != SQLITE_ROW)) return dbm__sqlite_no_row(s->q, s, op, rc);
    dbm__sqlite_leave(s->q);
    s->seen = 1;
    s->columns = op->columns = sqlite3_column_count(s->stmt); /* after the step: SQLite may have prepared it anew */
    op->result = s;
    op->row = true;
    return DBM_OK;
}

/* Only jumps: what runs once per statement has no frame of its own here. */
static DBM__HOT dbm_status dbm__sqlite_execute(dbm_connection *c, dbm_op *op) {
    dbm__sqlite_statement *s;
    if (DBM__UNLIKELY(op->kind != DBM_OP_EXECUTE) || DBM__UNLIKELY((s = (dbm__sqlite_statement *)op->prepared->data) == NULL)) return dbm__sqlite_execute_other(c, op);
    return s->writes ? dbm__sqlite_write(s, op) : dbm__sqlite_read(s, op);
}

static dbm_status dbm__sqlite_classify(dbm_connection *c, const char *sqlstate, int native, bool *retryable) {
    const char *state;
    (void)c;
    (void)sqlstate;
    return native != 0 ? dbm__sqlite_status(native, &state, retryable) : DBM_OK;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* What every connection has, set again when a session may have changed it. */
static int dbm__sqlite_set_up(dbm__sqlite *q) {
    const dbm__sqlite_base *base = q->base;
    char text[64];
    int rc;
    sqlite3_extended_result_codes(q->db, 1);
    sqlite3_busy_handler(q->db, dbm__sqlite_busy, q);
#if DBM__THREADS
    sqlite3_wal_hook(q->db, dbm__sqlite_committed, q);
#endif
#if !defined(SQLITE_OMIT_PROGRESS_CALLBACK)
    sqlite3_progress_handler(q->db, DBM__SQLITE_STEPS, dbm__sqlite_progress, q);
#endif
    rc = sqlite3_db_config(q->db, SQLITE_DBCONFIG_ENABLE_FKEY, base->foreign_keys ? 1 : 0, NULL);
    if (rc != SQLITE_OK) return rc;
    dbm__format(text, sizeof text, "PRAGMA synchronous = %s", base->synchronous);
    rc = dbm__sqlite_run(q, text, NULL, 0);
    if (rc != SQLITE_OK || base->cache_size == 0) return rc;
    dbm__format(text, sizeof text, "PRAGMA cache_size = %l", base->cache_size);
    return dbm__sqlite_run(q, text, NULL, 0);
}

/* The journal mode of a file. SQLite does not ask the busy handler when this fails for a lock, so it is tried again
 * here; another connection may be making the same file new. */
static dbm_status dbm__sqlite_journal(dbm__sqlite *q) {
    const char *want = q->base->journal;
    char mode[16], pages[24], text[48];
    int count = 0, rc = dbm__sqlite_run(q, "PRAGMA journal_mode", mode, sizeof mode);
    bool known = rc == SQLITE_OK && dbm__same_word(mode, "wal") && (want == NULL || dbm__same_word(want, mode)); /* nobody can change that while it is open here */
    if (!known) do {
        /* The mode is asked last: by then the file has been read, and a mode that another connection has just set is
         * seen. */
        rc = dbm__sqlite_run(q, "PRAGMA page_count", pages, sizeof pages);
        if (q->base->journal == NULL) want = strcmp(pages, "0") == 0 && sqlite3_db_readonly(q->db, "main") == 0 ? "wal" : NULL;
        if (rc == SQLITE_OK) rc = dbm__sqlite_run(q, "PRAGMA journal_mode", mode, sizeof mode);
        if (rc == SQLITE_OK && want != NULL && !dbm__same_word(mode, want)) {
            dbm__format(text, sizeof text, "PRAGMA journal_mode = %s", want);
            rc = dbm__sqlite_run(q, text, mode, sizeof mode);
        }
    } while ((rc & 0xff) == SQLITE_BUSY && dbm__sqlite_busy(q, count++));
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    if (q->base->journal != NULL && !dbm__same_word(mode, want)) {
        return dbm__adapter_say(q->c, DBM_E_CONNECT, NULL, 0, "journal_mode = %s can't be had for %q, it is %s: the file may not be written, or its "
                                "file system has no shared memory; set journal_mode = auto", want, q->base->path, mode);
    }
    q->wal = dbm__same_word(mode, "wal");
    dbm_adapter_readers_block(q->c, !q->wal);
    return DBM_OK;
}

static dbm_status dbm__sqlite_connect(dbm_connection *c, dbm_op *op) {
    dbm_database *owner = dbm_adapter_database(c);
    dbm__sqlite_base *base = (dbm__sqlite_base *)dbm_adapter_db_data(owner);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, rc;
    dbm_status status = DBM_OK;
    dbm__sqlite *q = (dbm__sqlite *)dbm__adapter_zeroed(owner, sizeof *q);
    if (q == NULL) return dbm_adapter_fail(c, DBM_E_NOMEM, "53200", 0, NULL);
    q->c = c;
    q->owner = owner;
    q->base = base;
    dbm__sqlite_enter(q, NULL, op->deadline_us);
    q->epoch = dbm__fork_epoch();
    q->connecting = true;
    if (dbm__load(&base->left_open) != 0) {
        status = dbm__adapter_say(q->c, DBM_E_FORKED, NULL, 0, "a transaction on %q was open when this process forked, so that SQLite can't open it "
                                  "safely in the child: fork outside of sessions, or exec", base->path);
    } else {
        rc = sqlite3_open_v2(base->uri, &q->db, flags, NULL);
#if !DBM__SQLITE_MEMSTATUS
        if (sqlite3_memory_used() != 0) {
            dbm_adapter_notice(c, "DBM_SQLITE_NO_MEMSTATUS: SQLite was in use before dbm.h opened it, so its memory statistics stay on");
        }
#endif
        if (rc == SQLITE_OK) rc = dbm__sqlite_set_up(q);
        if (rc != SQLITE_OK) status = dbm__sqlite_fail(q, rc);
        else if (!base->memory) status = dbm__sqlite_journal(q);
    }
    if (status != DBM_OK) {
        sqlite3_close(q->db);
        dbm_adapter_free(owner, q);
        return status;
    }
    q->connecting = false;
    dbm__sqlite_leave(q);
    dbm_adapter_set_data(c, q);
    return DBM_OK;
}

static bool dbm__sqlite_idle(dbm__sqlite *q) {
    sqlite3_stmt *stmt = NULL;
    if (!sqlite3_get_autocommit(q->db)) return false;
    while ((stmt = sqlite3_next_stmt(q->db, stmt)) != NULL) if (sqlite3_stmt_busy(stmt)) return false;
    return true;
}

/* In the child of a fork. SQLite keeps its book of file locks per process and file, and the child has inherited the
 * book but not the locks: a new connection would rely on locks that are not there, and lose its WAL file when the
 * parent closes its last connection.
 *
 * So an idle connection is really closed, which clears the book. Without a checkpoint that neither reads nor writes
 * nor deletes a file, and the locks of the parent belong to the parent.
 *
 * A connection with a transaction can't be closed without rolling back in the parent's files: it stays open for ever,
 * untouched. Then the child must not find its entry in the book: SQLite is told another device number for that
 * file. */
#if DBM__SQLITE_POSIX && SIZE_MAX > 0xffffffffu /* elsewhere SQLite may have another struct stat */
typedef int (*dbm__sqlite_fstat)(int fd, struct stat *out);
/* Set in children only, before they have threads that use SQLite: there is nowhere else to keep it. */
static struct { dbm__sqlite_fstat next; int count; dev_t dev[8]; ino_t ino[8]; } dbm__sqlite_parents;

static int dbm__sqlite_fstat_here(int fd, struct stat *out) {
    int rc = dbm__sqlite_parents.next(fd, out), i;
    for (i = 0; rc == 0 && i < dbm__sqlite_parents.count; i++) {
        if (out->st_dev != dbm__sqlite_parents.dev[i] || out->st_ino != dbm__sqlite_parents.ino[i]) continue;
        out->st_dev = ~out->st_dev;
        break;
    }
    return rc;
}

static bool dbm__sqlite_part(const char *path) {
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    struct stat file;
    int i = dbm__sqlite_parents.count;
    if (vfs == NULL || vfs->iVersion < 3 || i >= 8 || stat(path, &file) != 0) return false;
    if (dbm__sqlite_parents.next == NULL) {
        dbm__sqlite_fstat next = (dbm__sqlite_fstat)vfs->xGetSystemCall(vfs, "fstat");
        if (next == NULL) return false;
        dbm__sqlite_parents.next = next;
        if (vfs->xSetSystemCall(vfs, "fstat", (sqlite3_syscall_ptr)dbm__sqlite_fstat_here) != SQLITE_OK) {
            dbm__sqlite_parents.next = NULL;
            return false;
        }
    }
    dbm__sqlite_parents.dev[i] = file.st_dev;
    dbm__sqlite_parents.ino[i] = file.st_ino;
    dbm__sqlite_parents.count = i + 1;
    return true;
}
#else
static bool dbm__sqlite_part(const char *path) {
    (void)path;
    return false;
}
#endif

static void dbm__sqlite_forked(dbm__sqlite *q) {
    sqlite3_stmt *stmt;
    if (!q->base->memory && !dbm__sqlite_idle(q)) {
        bool parted = q->base->parted || (!q->base->own_vfs && dbm__sqlite_part(q->base->path));
        if (!parted) dbm__store(&q->base->left_open, 1);
        q->base->parted = parted;
        return;
    }
    (void)sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    while ((stmt = sqlite3_next_stmt(q->db, NULL)) != NULL) sqlite3_finalize(stmt);
    sqlite3_close(q->db);
}

static void dbm__sqlite_disconnect(dbm_connection *c, dbm_disconnect how) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    int i;
    if (q == NULL) return;
    dbm_adapter_set_data(c, NULL);
    if (how == DBM_DISCONNECT_FORKED || q->epoch != dbm__fork_epoch()) {
        dbm__sqlite_forked(q);
    } else {
        q->running = NULL;
        q->deadline_us = INT64_MAX;
        for (i = 0; i < DBM__SQLITE_WORDS; i++) sqlite3_finalize(q->words[i]);
        sqlite3_busy_handler(q->db, NULL, NULL); /* no handler may outlive q */
        sqlite3_wal_hook(q->db, NULL, NULL);
#if !defined(SQLITE_OMIT_PROGRESS_CALLBACK)
        sqlite3_progress_handler(q->db, 0, NULL, NULL);
#endif
        /* Statements that the program prepared on the native handle keep it alive until it finalizes them. */
        if (sqlite3_close(q->db) != SQLITE_OK) sqlite3_close_v2(q->db);
    }
    dbm_adapter_free(q->owner, q->spare);
    dbm_adapter_free(q->owner, q);
}

/* Runs `DROP ...` or the like for what a query names, one name at a time, until it names nothing more. */
static int dbm__sqlite_clear(dbm__sqlite *q, const char *query, const char *format) {
    for (;;) {
        sqlite3_stmt *stmt = NULL;
        char *sql = NULL;
        int rc = sqlite3_prepare_v2(q->db, query, -1, &stmt, NULL);
        if (rc != SQLITE_OK) return rc;
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
            sql = sqlite3_mprintf(format, (const char *)sqlite3_column_text(stmt, 0), (const char *)sqlite3_column_text(stmt, 1));
            if (sql == NULL) rc = SQLITE_NOMEM;
        }
        sqlite3_finalize(stmt);
        if (sql == NULL) return rc == SQLITE_DONE ? SQLITE_OK : rc;
        rc = dbm__sqlite_run(q, sql, NULL, 0);
        sqlite3_free(sql);
        if (rc != SQLITE_OK) return rc;
    }
}

/* A file is simply opened again; what is in memory has to be cleaned. */
static dbm_status dbm__sqlite_reset(dbm_connection *c, dbm_op *op) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    int rc = SQLITE_OK;
    if (!q->base->memory) return DBM_E_UNSUPPORTED;
    dbm__sqlite_enter(q, NULL, op->deadline_us);
    q->read_only = false;
    dbm__sqlite_reset_all(q);
#if !defined(SQLITE_OMIT_AUTHORIZATION)
    sqlite3_set_authorizer(q->db, NULL, NULL);
#endif
    sqlite3_commit_hook(q->db, NULL, NULL);
    sqlite3_rollback_hook(q->db, NULL, NULL);
    sqlite3_update_hook(q->db, NULL, NULL);
    if (!sqlite3_get_autocommit(q->db)) rc = dbm__sqlite_run(q, "ROLLBACK", NULL, 0);
    /* Dropping tables must not be stopped by what refers to them. */
    if (rc == SQLITE_OK) rc = sqlite3_db_config(q->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    if (rc == SQLITE_OK) {
        rc = dbm__sqlite_clear(q, "SELECT type, name FROM sqlite_temp_master WHERE type IN ('table', 'view', 'trigger') AND name NOT LIKE "
                               "'sqlite~_%' ESCAPE '~' LIMIT 1", "DROP %s temp.\"%w\"");
    }
    if (rc == SQLITE_OK) {
        rc = dbm__sqlite_clear(q, "SELECT '', name FROM pragma_database_list WHERE name NOT IN ('main', 'temp') LIMIT 1", "DETACH%s \"%w\"");
    }
    if (rc == SQLITE_OK) rc = dbm__sqlite_set_up(q);
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    dbm__sqlite_leave(q);
    return DBM_OK;
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static const char *const dbm__sqlite_uri_keys[] = { "mode", "cache", "immutable", "vfs", "nolock", "psow" };
#define DBM__SQLITE_URI_KEYS (sizeof dbm__sqlite_uri_keys / sizeof dbm__sqlite_uri_keys[0])

/* The word of a list that an option is, or its default. NULL: it is none of them, and the failure is reported. */
static const char *dbm__sqlite_choice(dbm_database *db, const char *key, const char *const *words, const char *otherwise) {
    const char *value = dbm_adapter_option(db, key);
    char list[100];
    dbm__text t = dbm__text_in(list, sizeof list);
    size_t i;
    if (value == NULL) return otherwise;
    for (i = 0; words[i] != NULL; i++) {
        if (dbm__same_word(value, words[i])) return words[i];
        dbm__putf(&t, i != 0 ? ", %s" : "%s", words[i]);
    }
    dbm__adapter_refuse(db, DBM_E_CONFIG, "%s = %s: expected one of %s", key, value, list);
    return NULL;
}

static dbm_status dbm__sqlite_check_parameters(dbm_database *db) {
    const char *value, *where;
    dbm_option one;
    size_t i = 0, k;
    while ((where = dbm__adapter_argument(db, &i, &one)) != NULL) {
        for (k = 0; k < DBM__SQLITE_URI_KEYS && strcmp(one.name, dbm__sqlite_uri_keys[k]) != 0; k++) {}
        if (k < DBM__SQLITE_URI_KEYS || dbm__list_has(DBM__SQLITE_OPTIONS, one.name, strlen(one.name))) continue;
        return dbm__adapter_unknown(db, where, one.name, dbm__sqlite_uri_keys, DBM__SQLITE_URI_KEYS, "is not known; known are mode, cache, immutable, vfs, "
                                    "nolock, psow, and the options busy_timeout, foreign_keys, journal_mode, synchronous, cache_size");
    }
    value = dbm_adapter_option(db, "mode");
    if (value != NULL && !dbm__list_has("ro,rw,rwc,memory", value, strlen(value))) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "mode = %s: expected one of ro, rw, rwc, memory", value);
    }
    value = dbm_adapter_option(db, "cache");
    if (value != NULL && !dbm__list_has("shared,private", value, strlen(value))) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "cache = %s: expected shared or private", value);
    }
    value = dbm_adapter_option(db, "vfs");
    if (value != NULL && sqlite3_vfs_find(value) == NULL) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "vfs = %s: SQLite has no VFS of this name; one of the program's own must be "
                                  "registered (sqlite3_vfs_register) before the database is first used", value);
    }
    return DBM_OK;
}

static dbm_status dbm__sqlite_check_options(dbm_database *db, dbm__sqlite_base *base) {
    static const char *const journals[] = { "auto", "wal", "delete", "truncate", "persist", "memory", "off", NULL };
    static const char *const syncs[] = { "full", "off", "normal", "extra", NULL };
    const char *value = dbm_adapter_option(db, "busy_timeout");
    int ms = 5000;
    dbm_isolation isolation = dbm_adapter_config(db)->isolation;
    if (value != NULL && (!dbm__parse_duration(value, &ms) || ms < 0)) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "busy_timeout = %s: expected a duration such as 5s or 200ms; 0 does not wait", value);
    }
    base->busy_us = (int64_t)ms * 1000;
    base->foreign_keys = true;
    value = dbm_adapter_option(db, "foreign_keys");
    if (value != NULL && !dbm__parse_bool(value, &base->foreign_keys)) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "foreign_keys = %s: expected true or false", value);
    }
    value = dbm_adapter_option(db, "cache_size");
    if (value != NULL && (!dbm__parse_int(value, -INT32_MAX, INT32_MAX, &base->cache_size) || base->cache_size == 0)) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "cache_size = %s: expected a number of pages, or of KiB when it is negative", value);
    }
    base->journal = dbm__sqlite_choice(db, "journal_mode", journals, journals[0]);
    if (base->journal == NULL) return DBM_E_CONFIG;
    if (base->journal == journals[0]) base->journal = NULL;
    base->synchronous = dbm__sqlite_choice(db, "synchronous", syncs, syncs[0]);
    if (base->synchronous == NULL) return DBM_E_CONFIG;
    if (isolation != DBM_READ_COMMITTED && isolation != DBM_REPEATABLE_READ) return DBM_OK;
    return dbm__adapter_refuse(db, DBM_E_CONFIG, "isolation_level: SQLite has SERIALIZABLE (default), READ UNCOMMITTED, AUTOCOMMIT");
}

/* The one name of a file, whatever it is called by: absolute, without links. False: it is too long. When its
 * directory does not exist (yet), the name is only made absolute; connecting will say so. */
static bool dbm__sqlite_canonical(const char *path, const char *vfs_name, char *out, char *dir) {
    sqlite3_vfs *vfs;
#if DBM__SQLITE_POSIX && defined(PATH_MAX)
    if (vfs_name == NULL) {
        const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
        size_t size = slash == path ? 1 : slash != NULL ? (size_t)(slash - path) : 0, name_size = strlen(name);
        if (strlen(path) >= PATH_MAX) return false;
        if (realpath(path, out) != NULL) return true;
        memcpy(dir, size != 0 ? path : ".", size != 0 ? size : 1);
        dir[size != 0 ? size : 1] = '\0';
        if (realpath(dir, out) == NULL) {
            if (path[0] == '/') out[0] = '\0';
            else if (getcwd(out, PATH_MAX) == NULL) return false;
            name = path[0] == '/' ? path + 1 : path;
            name_size = strlen(name);
        }
        size = strlen(out);
        if (size == 1 && out[0] == '/') size = 0;
        if (size + 1 + name_size >= PATH_MAX) return false;
        out[size] = '/';
        memcpy(out + size + 1, name, name_size + 1);
        return true;
    }
#endif
    (void)dir;
    vfs = sqlite3_vfs_find(vfs_name);
    if (vfs != NULL && vfs->mxPathname < DBM__SQLITE_PATH && (vfs->xFullPathname(vfs, path, DBM__SQLITE_PATH, out) & 0xff) == SQLITE_OK) {
        return true;
    }
    if (strlen(path) >= DBM__SQLITE_PATH) return false;
    dbm__copy_cut(out, DBM__SQLITE_PATH, path);
    return true;
}

static void dbm__sqlite_put_encoded(dbm__text *t, const char *text) {
    char code[3];
    size_t i;
    for (i = 0; text[i] != '\0'; i++) dbm__put_n(t, code, dbm__percent(text[i], i != 1 ? "._-:/" : "._-:", code)); /* `file://` would begin a host */
}

/* The block of a database: its settings, then its path, then its URI. */
static dbm_status dbm__sqlite_make(dbm_database *db, const dbm__sqlite_base *settings, const char *path) {
    size_t path_size = strlen(path) + 1, uri_size = 3 * path_size + 32, i;
    dbm__sqlite_base *base;
    dbm__text t;
    char *texts, between = '?';
    for (i = 0; i < DBM__SQLITE_URI_KEYS; i++) {
        const char *value = dbm_adapter_option(db, dbm__sqlite_uri_keys[i]);
        if (value != NULL) uri_size += strlen(dbm__sqlite_uri_keys[i]) + 3 * strlen(value) + 2;
    }
    base = (dbm__sqlite_base *)dbm_adapter_alloc(db, sizeof *base + path_size + uri_size);
    if (base == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    *base = *settings;
    texts = (char *)(base + 1);
    memcpy(texts, path, path_size);
    base->path = texts;
    base->uri = texts + path_size;
    t = dbm__text_in(texts + path_size, uri_size);
    dbm__put(&t, "file:");
    dbm__sqlite_put_encoded(&t, path);
    for (i = 0; i < DBM__SQLITE_URI_KEYS; i++) {
        const char *value = dbm_adapter_option(db, dbm__sqlite_uri_keys[i]);
        if (value == NULL) continue;
        dbm__putf(&t, "%c%s=", between, dbm__sqlite_uri_keys[i]);
        dbm__sqlite_put_encoded(&t, value);
        between = '&';
    }
    DBM_ASSERT(!t.cut);
    dbm_adapter_set_db_data(db, base);
    return DBM_OK;
}

static dbm_status dbm__sqlite_init_file(dbm_database *db, const dbm__sqlite_base *settings, const char *path) {
    static const char prefix[] = "sqlite:";
    char *key = (char *)dbm_adapter_alloc(db, sizeof prefix + 2 * DBM__SQLITE_PATH), *full;
    dbm_status status;
    if (key == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    memcpy(key, prefix, sizeof prefix);
    full = key + sizeof prefix - 1;
    if (!dbm__sqlite_canonical(path, dbm_adapter_option(db, "vfs"), full, full + DBM__SQLITE_PATH)) {
        status = dbm__adapter_refuse(db, DBM_E_CONFIG, "the path %q is too long, or there is no current directory", path);
    } else {
        status = dbm_adapter_gate(db, key);
        if (status == DBM_OK) status = dbm__sqlite_make(db, settings, full);
    }
    dbm_adapter_free(db, key);
    return status;
}

static dbm_status dbm__sqlite_init(dbm_database *db) {
    const dbm_url *url = dbm_adapter_url(db);
    const char *path = url->path != NULL ? url->path : "", *mode, *immutable = dbm_adapter_option(db, "immutable");
    dbm__sqlite_base settings;
    dbm_status status;
    bool yes = false;
    memset(&settings, 0, sizeof settings);
#if !DBM__SQLITE_MEMSTATUS
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* MISUSE when SQLite is in use; connecting will tell whether that was too late */
#endif
    if (sqlite3_libversion_number() < 3024000) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "the SQLite library is %s; 3.24 or newer is needed", sqlite3_libversion());
    }
#if DBM__THREADS
    if (!sqlite3_threadsafe()) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "the SQLite library was built with SQLITE_THREADSAFE=0, for programs without "
                                  "threads: build it with SQLITE_THREADSAFE=1 or 2, or dbm.h with DBM_NO_THREADS");
    }
#endif
    if (url->hosts != NULL && url->hosts[0] != '\0') {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "the URL names a host (%s): write sqlite:///file.db for a relative path and "
                                  "sqlite:////dir/file.db for an absolute one", url->hosts);
    }
    status = dbm__sqlite_check_parameters(db);
    if (status == DBM_OK) status = dbm__sqlite_check_options(db, &settings);
    if (status != DBM_OK) return status;
    mode = dbm_adapter_option(db, "mode");
    settings.memory = path[0] == '\0' || strcmp(path, ":memory:") == 0 || (mode != NULL && strcmp(mode, "memory") == 0);
    settings.read_only = (immutable != NULL && dbm__parse_bool(immutable, &yes) && yes) || (mode != NULL && strcmp(mode, "ro") == 0);
    settings.own_vfs = dbm_adapter_option(db, "vfs") != NULL;
    if (!settings.memory) {
        if (path[strlen(path) - 1] == '/') return dbm__adapter_refuse(db, DBM_E_CONFIG, "the path %q names a directory; name a file in it", path);
        return dbm__sqlite_init_file(db, &settings, path);
    }
    dbm_adapter_single(db);
    return dbm__sqlite_make(db, &settings, path[0] != '\0' ? path : ":memory:");
}

static void dbm__sqlite_close(dbm_database *db) {
    void *base = dbm_adapter_db_data(db);
    dbm_adapter_set_db_data(db, NULL);
    dbm_adapter_free(db, base);
}

static const dbm_adapter dbm__sqlite_adapter = {
    sizeof(dbm_adapter), DBM_ADAPTER_VERSION,
    "sqlite", "sqlite,file", DBM__SQLITE_OPTIONS,
    DBM_ADAPTER_RESTARTS | DBM_ADAPTER_CONNECT_ASKS | DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS | DBM_ADAPTER_NO_RECYCLE | DBM_ADAPTER_BULK_PREPARED | DBM_ADAPTER_FAILS_ALONE,
    DBM_PH_QUESTION, DBM__SQLITE_LEXER,
    dbm__sqlite_init, dbm__sqlite_close,
    dbm__sqlite_connect, dbm__sqlite_disconnect, NULL, dbm__sqlite_ping, dbm__sqlite_reset, dbm__sqlite_cancel,
    dbm__sqlite_classify,
    dbm__sqlite_execute, dbm__sqlite_fetch, dbm__sqlite_column, dbm__sqlite_column_name,
    NULL, NULL, /* start, step: SQLite blocks */
    dbm__sqlite_bulk_row, NULL
};

DBM__FN const dbm_adapter *dbm__adapter_sqlite(void) { return &dbm__sqlite_adapter; }

DBM__FN void dbm__adapter_sqlite_shutdown(void) { (void)sqlite3_shutdown(); }

#endif /* DBM__SQLITE_MISSING */
#endif /* DBM_HAS_SQLITE */
