/* The types that every part of the surface shares: statuses, errors, values, options of databases and sessions.
 * May call: nothing but the three standard headers.
 * Must not know: any driver. No struct here depends on a compile-time switch. */
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define DBM_VERSION        "0.2.0"
#define DBM_VERSION_NUMBER 200           /* major * 10000 + minor * 100 + patch */

/* >>status
 * Every status, once: the enum, dbm_status_name(), dbm_status_text() and the table in the manual come from this list.
 * New ones are appended; a number never changes its meaning. */
#define DBM_STATUS_LIST(X) \
    X(OK,                 0, "success") \
    X(DONE,               1, "no more rows") \
    X(ROLLED_BACK,        2, "rolled back, because that was asked or because the block was left early without writes") \
    X(E_NOT_FOUND,        3, "no row matched") \
    X(E_MISUSE,           4, "the call is not allowed here") \
    X(E_RANGE,            5, "a value does not fit its type, or a count differs") \
    X(E_LIMIT,            6, "a configured limit was reached") \
    X(E_NOMEM,            7, "out of memory") \
    X(E_CONFIG,           8, "the configuration is wrong") \
    X(E_UNKNOWN_NAME,     9, "no database, table or column has this name") \
    X(E_NOT_COMPILED,    10, "this backend is not compiled in") \
    X(E_UNSUPPORTED,     11, "the backend cannot do this") \
    X(E_CONNECT,         12, "the database could not be reached or opened") \
    X(E_AUTH,            13, "the database refused the user or the password") \
    X(E_TLS,             14, "the encrypted connection could not be made") \
    X(E_POOL_TIMEOUT,    15, "no connection became free within pool_timeout") \
    X(E_WOULD_DEADLOCK,  16, "waiting for this connection could never end") \
    X(E_TIMEOUT,         17, "the deadline passed") \
    X(E_CANCELLED,       18, "cancelled by dbm_cancel, or with its call or task") \
    X(E_CLOSED,          19, "the database was closed by dbm_close_all or dbm_manager_free, or the loop by dbm_loop_free") \
    X(E_FORKED,          20, "the session was open when the process forked and belongs to the parent") \
    X(E_LOST,            21, "the connection was lost") \
    X(E_SQL,             22, "the database refused the statement") \
    X(E_CONSTRAINT,      23, "a constraint was violated") \
    X(E_SERIALIZATION,   24, "another transaction changed the data first; the transaction can be run again") \
    X(E_DEADLOCK,        25, "the database broke a deadlock by ending this transaction; it can be run again") \
    X(E_READ_ONLY,       26, "the database or the session is read-only") \
    X(E_ROLLED_BACK,     27, "the database rolled back instead of committing") \
    X(E_LEFT_EARLY,      28, "the block was left before its end and its writes were rolled back") \
    X(E_IMPLICIT_COMMIT, 29, "the database committed by itself, as it does at DDL") \
    X(E_IN_DOUBT,        30, "the connection was lost while committing: done or not done, nobody can tell from here") \
    X(E_LEAKED,          31, "sessions were still out when the grace period ended")

typedef enum dbm_status {
    DBM__STATUS_SIGNED = -1, /* keeps the enum signed, so that `int rc = dbm_exec(...)` is silent */
#define DBM__X(name, number, text) DBM_##name = number,
    DBM_STATUS_LIST(DBM__X)
#undef DBM__X
    DBM__STATUS_END
} dbm_status;

/* Which kind of constraint a DBM_E_CONSTRAINT is about. */
typedef enum dbm_constraint {
    DBM__CONSTRAINT_SIGNED = -1,
    DBM_CONSTRAINT_NONE = 0, DBM_CONSTRAINT_UNIQUE, DBM_CONSTRAINT_PRIMARY_KEY, DBM_CONSTRAINT_NOT_NULL,
    DBM_CONSTRAINT_FOREIGN_KEY, DBM_CONSTRAINT_CHECK, DBM_CONSTRAINT_EXCLUSION, DBM_CONSTRAINT_OTHER
} dbm_constraint;

/* What was being done when an error arose. */
typedef enum dbm_stage {
    DBM__STAGE_SIGNED = -1,
    DBM_STAGE_NONE = 0, DBM_STAGE_CONFIG, DBM_STAGE_CHECKOUT, DBM_STAGE_CONNECT, DBM_STAGE_BEGIN, DBM_STAGE_STATEMENT,
    DBM_STAGE_ROW, DBM_STAGE_COMMIT, DBM_STAGE_CLOSE
} dbm_stage;

/* >>error
 * One failure, complete and copyable: it owns all of its texts, so a copy stays valid for ever. No secret is in it. */
typedef struct dbm_error_info {
    dbm_status status;
    dbm_stage stage;
    dbm_constraint constraint;  /* DBM_CONSTRAINT_NONE unless status is DBM_E_CONSTRAINT */
    int native_code;            /* the driver's own code, 0 when there is none (SQLite: the extended result code) */
    bool retryable;             /* running the whole transaction again may succeed (DBM_RETRY does) */
    char sqlstate[6];           /* five characters and 0, or "" */
    char database[64];          /* the database's name, or "" */
    char constraint_name[128];  /* what the backend names: a constraint, or "table.column"; or "" */
    char site[128];             /* "file.c:12" of the call that failed, or "" */
    char message[1024];         /* what happened, where, and what to do about it */
} dbm_error_info;

/* >>values
 * The types of a dbm_value. JSON, decimals and UUIDs travel as text. */
typedef enum dbm_type {
    DBM__TYPE_SIGNED = -1,
    DBM_TYPE_NULL = 0,
    DBM_TYPE_INT,        /* as.integer */
    DBM_TYPE_UINT,       /* as.uinteger */
    DBM_TYPE_DOUBLE,     /* as.real */
    DBM_TYPE_BOOL,       /* as.integer, 0 or 1 */
    DBM_TYPE_TEXT,       /* as.text, UTF-8; NUL-terminated when it comes from a row */
    DBM_TYPE_BLOB,       /* as.text, any bytes */
    DBM_TYPE_DECIMAL,    /* as.text, such as "1.10" */
    DBM_TYPE_TIMESTAMP,  /* as.integer, microseconds since 1970-01-01 00:00:00 UTC */
    DBM_TYPE_UUID,       /* as.text, 36 characters */
    DBM_TYPE_JSON,       /* as.text */
    DBM_TYPE_INVALID     /* an argument that can't be a value; using it is DBM_E_MISUSE */
} dbm_type;

/* One value, 32 bytes at most, passed by value. Its text belongs to whoever made it and must outlive the call that takes it;
 * no call keeps it longer. `name` is set by dbm_named() alone. */
typedef struct dbm_value {
    dbm_type type;
    const char *name;
    union {
        int64_t integer;
        uint64_t uinteger;
        double real;
        struct { const char *data; size_t size; } text;
    } as;
} dbm_value;

/* One column of many rows that lie in memory as an array, or as one field of an array of structs. DBM_COLUMN(array) makes one. */
typedef struct dbm_column {
    const void *data;            /* the first element */
    int kind;                    /* its C type, as dbm_target has it */
    size_t size;                 /* of one element in bytes */
    size_t stride;               /* from one element to the next in bytes; 0: `size` */
    dbm_type type;               /* what it is to the database, where the C type does not say it: TIMESTAMP of int64_t (microseconds), DECIMAL, UUID or JSON of
                                  * texts; DBM_TYPE_NULL: the C type's own */
    const unsigned char *nulls;  /* bit i % 8 of nulls[i / 8] is set: element i is NULL; may be NULL */
} dbm_column;

typedef struct dbm_manager dbm_manager;   /* all of a program's databases */
typedef struct dbm_database dbm_database; /* one of them: its configuration, adapter and pool */
typedef struct dbm_row dbm_row;           /* the row in hand; valid until the next row of its query */
typedef struct dbm_rows dbm_rows;         /* a query whose rows are being read */
typedef struct dbm_statement dbm_statement; /* a prepared statement of one session */
typedef struct dbm_bulk dbm_bulk;         /* rows on their way into one table */

/* >>session
 * A session: a small value in the caller's frame that every call takes by pointer and checks against its slot. A copy may be
 * kept to cancel from another thread; a late use meets a stale `gen`, does nothing but answer DBM_E_MISUSE, and is counted. */
typedef struct dbm_session {
    void *slot;
    uint32_t gen, step;
} dbm_session;

/* >>config
 * Isolation levels, by the names of the SQL standard. A backend refuses what it does not know when it is configured. */
typedef enum dbm_isolation {
    DBM__ISOLATION_SIGNED = -1,
    DBM_ISOLATION_DEFAULT = 0, DBM_READ_UNCOMMITTED, DBM_READ_COMMITTED, DBM_REPEATABLE_READ, DBM_SERIALIZABLE,
    DBM_AUTOCOMMIT       /* no transaction: each statement stands alone */
} dbm_isolation;

/* How a connection that was idle is checked before it is handed out. */
typedef enum dbm_pre_ping {
    DBM__PRE_PING_SIGNED = -1,
    DBM_PRE_PING_DEFAULT = 0, /* true: age and epoch compared; sockets peeked after 1 ms, pinged after 1 s of idleness */
    DBM_PRE_PING_ALWAYS,      /* a ping each time */
    DBM_PRE_PING_OFF          /* epoch and age only */
} dbm_pre_ping;

/* What is done with a connection's own state when it comes back. Its transaction has ended by then, as the session's rules say, so there is none
 * to commit or roll back: rollback undoes what dbm.h saw being changed (SET, PRAGMA, temporary tables, dbm_native), commit and none leave
 * that to the next user, full resets each time. */
typedef enum dbm_reset {
    DBM__RESET_SIGNED = -1,
    DBM_RESET_DEFAULT = 0,   /* rollback */
    DBM_RESET_COMMIT, DBM_RESET_NONE, DBM_RESET_FULL
} dbm_reset;

/* Statements in the log. */
typedef enum dbm_echo { DBM__ECHO_SIGNED = -1, DBM_ECHO_OFF = 0, DBM_ECHO_STATEMENTS, DBM_ECHO_VALUES } dbm_echo;

/* Encryption to a server. Not set: off on loopback and local sockets, elsewhere `prefer` with one warning. */
typedef enum dbm_tls {
    DBM__TLS_SIGNED = -1,
    DBM_TLS_DEFAULT = 0, DBM_TLS_OFF, DBM_TLS_PREFER, DBM_TLS_REQUIRE, DBM_TLS_VERIFY_CA, DBM_TLS_VERIFY_FULL
} dbm_tls;

/* How many connections one database may hold, and how long they live.
 * Zero means the default, so an all-zero struct is a working pool; -1 means "never" or "none" where it is listed.
 * Source: names and meaning of size, max_overflow, timeout, recycle and pre-ping are those of SQLAlchemy's QueuePool. */
typedef struct dbm_pool_options {
    int size;             /* stay open once opened, 1..1000 (default 5) */
    int max_overflow;     /* opened on top under load, closed on return, 0..1000 (default 10; -1: none) */
    int timeout_ms;       /* how long a checkout waits, all of it (default 30000; -1: not at all) */
    int recycle_ms;       /* replaced when older, minus up to 10 % (default 1800000; -1: never) */
    int min_idle;         /* opened ahead by dbm_maintain, 0..size (default 0) */
    int idle_timeout_ms;  /* closed when idle longer, down to min_idle (default 600000; -1: never) */
    dbm_pre_ping pre_ping;
    dbm_reset reset_on_return;
} dbm_pool_options;

/* One extra setting for an adapter or its driver. */
typedef struct dbm_option { const char *name, *value; } dbm_option;

/* What a credential callback fills in; the texts are copied before it is called again. */
typedef struct dbm_credentials { const char *user, *password; } dbm_credentials;

/* One database, in code. Every field zero is the default. All texts are copied by dbm_add_database(). */
typedef struct dbm_config {
    const char *name;             /* what sessions ask for (default "default") */
    const char *type;             /* adapter type; may be left out, then the URL's scheme says it */
    const char *url;              /* sqlite:///app.db, sqlite:////abs/app.db, sqlite:///:memory:, or an adapter's own */
    dbm_pool_options pool;
    dbm_isolation isolation;      /* of every session that does not say otherwise (default: the backend's) */
    int connect_timeout_ms;       /* one physical connect (default 5000) */
    int statement_timeout_ms;     /* one statement (default none) */
    int socket_timeout_ms;        /* longest silence while a reply is awaited (default none) */
    int tcp_keepalive_ms;         /* (default 60000; -1: off) */
    int tcp_user_timeout_ms;      /* (default 30000; -1: off) */
    int statement_cache;          /* prepared statements kept per connection, 1..4096 (default 64; -1: none) */
    int leak_warning_ms;          /* a session that is out longer is reported with its file:line (default off) */
    dbm_echo echo;
    dbm_tls tls;
    const char *tls_ca, *tls_cert, *tls_key; /* paths */
    const char *init_sql;         /* statements run on each new connection */
    size_t row_buffer;            /* bytes that one query may buffer when a statement runs inside it, and replies of Redis that wait to be received
                                   * (default 64 MiB) */
    const dbm_option *options;    /* the adapter's own keys, such as busy_timeout of SQLite, and connect_args.x */
    size_t option_count;
    /* Asked before each physical connect, so that rotating passwords and tokens work (default: the URL's user and password).
     * Called without a lock, from the thread that connects. An error from it fails that connect. */
    dbm_status (*credentials)(void *ud, dbm_credentials *out);
    void *credentials_ud;
} dbm_config;

/* What a session may ask for. Zero is the default. */
typedef struct dbm_session_options {
    dbm_isolation isolation;  /* (default: the database's); E_UNSUPPORTED where sessions are no transactions (Redis; MongoDB), DBM_AUTOCOMMIT excepted */
    bool read_only;           /* writes fail with DBM_E_READ_ONLY; the commit is not waited for where that is safe */
    bool write;               /* will write: SQLite begins IMMEDIATE, in the writer queue */
    bool autocommit;          /* no transaction: each statement stands alone */
    bool separate;            /* do not join an outer block of the same database: take a connection of its own */
    int timeout_ms;           /* one deadline for all of it, checkout included (default none) */
    dbm_status *status;       /* where the outcome is written; DBM_ROLLED_BACK until then */
    bool transaction;         /* one transaction, on backends whose sessions have none unless they ask (MongoDB) */
} dbm_session_options;

/* >>events
 * Things that happen, by number; texts go to the log hook, numbers and durations to the event hook. Append only. */
#define DBM_EVENT_LIST(X) \
    X(CONNECTED,       1, "a connection was opened") \
    X(DISCONNECTED,    2, "a connection was closed") \
    X(CONNECT_FAILED,  3, "a connection could not be opened") \
    X(DOWN,            4, "a database went down: no connection lives and none can be opened") \
    X(UP,              5, "a database that was down answers again") \
    X(POOL_TIMEOUT,    6, "a checkout waited in vain") \
    X(LEAK,            7, "a session is out for longer than leak_warning") \
    X(LEAK_RETURNED,   8, "a session that was reported came back") \
    X(LEFT_EARLY,      9, "a block with writes was left early and rolled back") \
    X(STALE_HANDLE,   10, "a session was used or ended after its end") \
    X(STATEMENT,      11, "a statement was sent") \
    X(RETRY,          12, "DBM_RETRY runs its body again") \
    X(BROKEN,         13, "a connection broke or could not be reset, and was closed") \
    X(ADAPTER_FAILED, 14, "an adapter could not be initialised") \
    X(CLOSE_FAILED,   15, "a database could not be closed in time") \
    X(NOTICE,         16, "a message of the server") \
    X(CONFIG_ERROR,   17, "a configuration error") \
    X(CLEAR_TEXT,     18, "a database with a password is reached without encryption") \
    X(TASK_FAILED,    19, "a task failed that nobody waits for")
typedef enum dbm_event_id {
    DBM__EVENT_SIGNED = -1, DBM__EVENT_NONE = 0,
#define DBM__X(name, number, text) DBM_EVENT_##name = number,
    DBM_EVENT_LIST(DBM__X)
#undef DBM__X
    DBM__EVENT_END
} dbm_event_id;

typedef enum dbm_log_level {
    DBM__LOG_SIGNED = -1, DBM_LOG_ERROR = 1, DBM_LOG_WARNING, DBM_LOG_INFO, DBM_LOG_DEBUG
} dbm_log_level;

/* One event. Valid during the hook's call. */
typedef struct dbm_event {
    dbm_event_id id;
    dbm_log_level level;
    const char *database;   /* its name, or "" */
    const char *site;       /* "file.c:12" or "" */
    const char *text;       /* what the log says; "" with DBM_NO_LOG_TEXT */
    dbm_status status;
    int64_t duration_us;    /* of what the event ends, else 0 */
} dbm_event;

/* Memory from the program instead of malloc. All three are needed; any thread may call them. */
typedef struct dbm_allocator {
    void *(*alloc)(void *ud, size_t size);
    void *(*resize)(void *ud, void *block, size_t size);
    void (*release)(void *ud, void *block);
    void *ud;
} dbm_allocator;

struct dbm_adapter; /* see adapter.h */

/* A manager's own options. Zero is the default. Hooks are called without a lock, from any
 * thread that works with the manager; `clock` alone may be called under one, and must only tell the time. */
typedef struct dbm_options {
    dbm_allocator allocator;     /* (default malloc, or DBM_MALLOC and its fellows) */
    void *memory;                /* a block to live in instead of a heap; stays the caller's, must outlive the manager */
    size_t memory_size;          /* its size in bytes */
    void (*log)(void *ud, dbm_log_level level, int event_id, const char *database, const char *text);
    void *log_ud;                /* (default hook: warnings and errors to stderr) */
    void (*event)(void *ud, const dbm_event *event);
    void *event_ud;
    int64_t (*clock)(void *ud);  /* monotonic microseconds (default: the system's monotonic clock) */
    void *clock_ud;
    int grace_ms;                /* how long dbm_close_all waits for sessions that are out (but those of its own loops), dbm_loop_free for servers (default 5000; -1: not at all) */
    bool upkeep_thread;          /* start one thread that calls dbm_maintain once a second */
    bool own_drivers;            /* also tear down the drivers' global state at the end */
    bool no_env;                 /* ignore DBM__DATABASES__... in the environment */
    const struct dbm_adapter *const *adapters; /* registered before anything is loaded */
    size_t adapter_count;
} dbm_options;

/* Numbers of one database, at one moment. Counters only grow. */
typedef struct dbm_stats_info {
    int size, max_overflow;                   /* as configured */
    int open, idle, out, connecting, waiting; /* now */
    uint64_t checkouts, waits, timeouts, connects, connect_failures, disconnects, recycled, idle_closed, broken;
    uint64_t stale_handles, leaks, left_early, retries, in_doubt;
    uint64_t statements, cache_hits, cache_misses, cache_evictions;
    bool down;
} dbm_stats_info;

/* One line of dbm_health(). Valid during the callback. */
typedef struct dbm_health_info {
    const char *name, *type;
    dbm_status status;      /* DBM_OK: it answered; DBM_E_POOL_TIMEOUT: saturated, which is not down */
    int64_t latency_us;     /* of the ping */
    const char *message;    /* why not, or "" */
} dbm_health_info;
