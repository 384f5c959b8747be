/* The adapter table: what a backend is to dbm.h. The built-in backends use this and nothing else.
 * May call: types.h.
 * Must not know: pools, sessions, or any driver. */

/* >>adapter
 * How to write one: fill a static dbm_adapter and pass it to dbm_register(). `init` and `close` are required; each further entry
 * adds a capability. An entry answers DBM_E_UNSUPPORTED for what it lacks, and dbm.h emulates it or refuses with a clear
 * error. No entry is called under a lock of dbm.h (init alone: under the one of
 * its own database that makes it happen once), nor by two threads at once for the same connection (`cancel` excepted;
 * with DBM_ADAPTER_SHARED, all may be). */
#define DBM_ADAPTER_VERSION 1

typedef struct dbm_connection dbm_connection; /* one physical connection, as the adapter sees it */

/* What an adapter is capable of. */
enum {
    DBM_ADAPTER_SHARED       = 1, /* one thread-safe connection serves all sessions (Cassandra's and Neo4j's drivers) */
    DBM_ADAPTER_TRANSACTIONS = 2, /* BEGIN, COMMIT, ROLLBACK: as operations, or as SQL when those are unsupported */
    DBM_ADAPTER_SAVEPOINTS   = 4, /* the same for savepoints */
    DBM_ADAPTER_SOCKET       = 8, /* connections are sockets that can die unseen: peeked and pinged when idle */
    DBM_ADAPTER_NO_RECYCLE   = 16, /* pool_recycle does not apply (SQLite) */
    DBM_ADAPTER_ONE_RESULT   = 32, /* a connection reads one result at a time: open ones are held (HOLD) before anything else is sent, not only
                                   * before a statement that writes */
    DBM_ADAPTER_TRANSACTIONS_ASKED = 64, /* has transactions for sessions with .transaction = 1; all others have none. BEGIN is then sent when the
                                   * session begins, so that a refusal comes before the body */
    DBM_ADAPTER_DOCUMENTS    = 128, /* rows are documents, each with columns of its own, and .column answers DBM_COLUMN_... too */
    DBM_ADAPTER_PIPELINE     = 256, /* EXECUTE and COMMAND with no_wait are put in a pipeline; without it dbm.h waits for each. Needs start and step,
                                   * since it reads while it writes; not with DBM_ADAPTER_SHARED */
    DBM_ADAPTER_BULK_PREPARED = 512, /* BULK wants bulk->sql prepared, in op->prepared, where it stays until BULK_END */
    DBM_ADAPTER_FAILS_ALONE  = 1024, /* a statement that fails undoes itself alone, and its transaction goes on */
    DBM_ADAPTER_LISTEN       = 2048, /* LISTEN and NOTIFIED, for dbm_listen(). Needs start and step */
    DBM_ADAPTER_RESTARTS     = 16384, /* EXECUTE that finds op->result set, which is of the same `prepared`, ends that first, as FINISH does */
    DBM_ADAPTER_CONNECT_ASKS = 32768, /* CONNECT has had an answer of the backend, so that dbm_init_all() need not ping what it has just opened */
    DBM_ADAPTER_STOPS        = 4096, /* step looks at op->stop: whoever drives an operation stops it so, and .cancel is left to other threads */
    DBM_ADAPTER_REPLIES      = 8192 /* with DBM_ADAPTER_PIPELINE: EXECUTE with no_wait and `reply` is put in the pipeline, whether it writes, has rows or
                                   * neither, and waits only where DBM_PIPELINE_MAX are unanswered; all go out together with the first operation that
                                   * waits. RECEIVE gives the results in this order as EXECUTE does, each complete and independent of other results: any number
                                   * may be open, of one `prepared` too, though it be `single`; FETCH and FINISH with the same op, as ever. `prepared` stays
                                   * until its result is received, `values` need not. Other operations may come in between: they wait for all of the
                                   * pipeline, and the results stay to be received, but SYNC, RESET and the connection's end drop them. Outside of a transaction
                                   * one that is `alone`, or writes, stands and fails alone; in one, and among those that share (between two operations that
                                   * wait), the first that fails takes those behind it along, whose RECEIVE answers DBM_E_ROLLED_BACK. More rows than
                                   * row_buffer: DBM_E_LIMIT for it. A cancel, or a deadline, stops what the server does just then, be it another one, of which nothing
                                   * is done and whose RECEIVE answers DBM_E_CANCELLED. The same for COMMAND. What can't go into the pipeline just now, makes others wait or changes the connection: DBM_E_UNSUPPORTED at once,
                                   * and nothing was done */
};

/* What .column may be asked for in place of a column's number, where rows are documents. */
enum {
    DBM_COLUMN_DOCUMENT = -1,     /* the whole row as JSON text */
    DBM_COLUMN_NATIVE = -2        /* a BLOB of no size whose data points to the driver's own object */
};

/* Which placeholders the backend's own statements have; dbm.h accepts `?` (and `:name` with dbm_named) everywhere. */
typedef enum dbm_placeholders {
    DBM__PH_SIGNED = -1,
    DBM_PH_QUESTION = 0, /* ? */
    DBM_PH_DOLLAR,       /* $1, $2 (PostgreSQL); `$1` is then accepted from the user too */
    DBM_PH_NATIVE        /* statements are passed on untouched and values by position (Cypher, CQL with names of its own) */
} dbm_placeholders;

/* What the lexer must know to tell a placeholder from a quoted question mark. */
enum {
    DBM_LEX_BACKSLASH   = 1,  /* 'it\'s' (MySQL) */
    DBM_LEX_DOLLAR      = 2,  /* $tag$ ... $tag$ (PostgreSQL) */
    DBM_LEX_HASH        = 4,  /* # comment (MySQL) */
    DBM_LEX_NESTED      = 8,  /* nested comments (PostgreSQL) */
    DBM_LEX_BRACKETS    = 16, /* [name] (SQLite) */
    DBM_LEX_BACKTICKS   = 32, /* `name` (MySQL, SQLite) */
    DBM_LEX_ESTRING     = 64, /* E'it\'s' (PostgreSQL) */
    DBM_LEX_DASH_SPACE  = 128, /* -- is a comment only before a blank (MySQL) */
    DBM_LEX_NOT_SQL     = 256 /* another language: its words and semicolons mean nothing to dbm.h (`set ? ?` of a cache is no SET), and a statement
                               * counts as one that writes and may have rows unless PREPARE says otherwise */
};

typedef enum dbm_op_kind {
    DBM__OP_SIGNED = -1,
    DBM_OP_CONNECT = 0,   /* open connection; its data by dbm_adapter_set_data() */
    DBM_OP_BEGIN,         /* isolation, read_only, write */
    DBM_OP_COMMIT,
    DBM_OP_ROLLBACK,
    DBM_OP_SAVEPOINT,     /* savepoint: its number, 1.. */
    DBM_OP_RELEASE,
    DBM_OP_ROLLBACK_TO,   /* undo, and release */
    DBM_OP_PREPARE,       /* make prepared->data of sql; fill in the rest of *prepared */
    DBM_OP_UNPREPARE,     /* free prepared->data */
    DBM_OP_EXECUTE,       /* run sql (or prepared) with values */
    DBM_OP_FETCH,         /* the next row of result; DBM_DONE after the last */
    DBM_OP_HOLD,          /* another statement is about to write (DBM_ADAPTER_ONE_RESULT: to be sent): make the rest of result independent of it;
                           * DBM_DONE: as far as it is under way. What FETCH brings then is held again */
    DBM_OP_FINISH,        /* drop result, read to its end or not */
    DBM_OP_SCRIPT,        /* run several statements, without values or rows */
    DBM_OP_PING,
    DBM_OP_RESET,         /* full: undo everything a session may have changed; failing closes the connection */
    DBM_OP_NATIVE,        /* out: the driver's own handle; the pipeline is empty */
    DBM_OP_COMMAND,       /* a command of the backend's own, outside of SQL: values are its arguments, values[0] the text that names it; rows as
                           * EXECUTE gives them */
    DBM_OP_SYNC,          /* wait for all that was put in the pipeline. Answers to COMMANDs that were not received are dropped; the first failure among
                           * them is the one of SYNC */
    DBM_OP_RECEIVE,       /* the answer to the oldest COMMAND (DBM_ADAPTER_REPLIES: EXECUTE with `reply`) of the pipeline that was not received yet, as COMMAND
                           * (EXECUTE) itself gives it; DBM_DONE: there is none */
    DBM_OP_BULK,          /* begin to write the rows of bulk; UNSUPPORTED: dbm.h runs bulk->sql once a row. Until BULK_END nothing comes but bulk
                           * rows and, for what was open before, UNPREPARE and FINISH; and disconnect (FORKED), which then frees what bulk->data
                           * pointed to */
    DBM_OP_BULK_SEND,     /* send what .bulk_row and .bulk_columns have gathered */
    DBM_OP_BULK_END,      /* send the rest and wait for the outcome (affected), or drop it all where bulk->abandon, without a word where the connection broke;
                           * frees bulk->data in any case */
    DBM_OP_LISTEN,        /* hear the channels that `values` name (texts, one at least), or hear them no longer, by `listen`; it is done when the server has
                           * confirmed it. For a listener's own connection, on which nothing comes from then on but LISTEN, NOTIFIED and PING; needs start
                           * and step */
    DBM_OP_NOTIFIED       /* wait for the next notification: `native` is a const dbm_notification, valid until the connection's next operation. It sends
                           * nothing, and may be left at any step: another operation is started in its place, and loses none */
} dbm_op_kind;

/* What LISTEN is about. */
enum {
    DBM_LISTEN_CHANNEL = 0,
    DBM_LISTEN_PATTERN = 1,      /* channels whose name fits a pattern (Redis' PSUBSCRIBE) */
    DBM_LISTEN_SHARD = 2,        /* channels of a cluster's shard (Redis' SSUBSCRIBE) */
    DBM_LISTEN_STOP = 4          /* with one of them: no longer */
};

/* What NOTIFIED has heard. Texts, or BLOBs where they are not UTF-8. */
typedef struct dbm_notification {
    dbm_value channel, pattern, payload; /* pattern: the one that the channel fits; NULL where the channel was named */
    int64_t process;                     /* of the server that serves the sender (PostgreSQL's pid); 0: not known */
} dbm_notification;

/* A statement known to a connection. Made by dbm.h, kept in the connection's statement cache, filled in by the adapter. */
typedef struct dbm_prepared {
    void *data;            /* the adapter's; NULL: not prepared yet */
    const char *sql;       /* as the backend reads it, placeholders rewritten; NUL-terminated */
    size_t sql_size;
    int parameters;        /* placeholders */
    bool writes;           /* changes data or schema, as far as can be told; PREPARE may correct it */
    bool returns_rows;     /* PREPARE may correct it */
    bool single;           /* one result at a time: dbm.h takes another entry while a result of this one is open */
} dbm_prepared;

/* Many rows for one table, from BULK to BULK_END. Made by dbm.h; names and texts live as long as it does. */
typedef struct dbm_bulk_plan {
    void *data;                /* the adapter's */
    const char *table;         /* as the backend reads it, quoted where the caller quoted it; of a collection, its plain name */
    const char *const *columns; /* the same for each column */
    int column_count;
    const char *sql;           /* INSERT INTO table (columns) VALUES (?, ...), with the backend's placeholders; NULL with DBM_LEX_NOT_SQL */
    size_t sql_size;
    bool each_row;             /* rows that are refused are skipped: .bulk_row and .bulk_columns answer the failure of the row in hand and go on with the
                                * next one, later ones are told by dbm_adapter_bulk_refused(). BULK answers UNSUPPORTED where that can't be */
    int64_t rows;              /* taken or refused so far, the one in hand not counted */
    int64_t failed_row;        /* out, with a failure: the row (from 0) that was refused; -1, as it comes in: .bulk_row's own one, else the backend can't tell */
    int failed_column;         /* out, with a failure: the column (from 0) that was refused; -1, as it comes in */
    void (*refused)(struct dbm_bulk_plan *bulk, int64_t row); /* dbm.h's */
    bool abandon;              /* BULK_END: what was sent is rolled back by dbm.h, which then needs the connection in working order */
} dbm_bulk_plan;

/* What step() answers: done, or what it waits for. */
typedef enum dbm_step {
    DBM__STEP_SIGNED = -1,
    DBM_STEP_DONE = 0,     /* op->status says how it ended */
    DBM_STEP_READ = 1,     /* until op->fd is readable, or op->wake_us */
    DBM_STEP_WRITE = 2,    /* until op->fd is writable, or op->wake_us */
    DBM_STEP_BOTH = 3,     /* either */
    DBM_STEP_TIMER = 4     /* until op->wake_us only */
} dbm_step;

/* op->last_id after an INSERT whose key the backend does not tell by itself, but would by RETURNING. */
#define DBM_LAST_ID_UNKNOWN INT64_MIN

/* One operation. Fields that do not belong to the kind are zero. Times are those of dbm_adapter_clock(). */
typedef struct dbm_op {
    dbm_op_kind kind;
    dbm_status status;       /* out, when it is done */
    /* in */
    const char *sql;
    size_t sql_size;
    const dbm_value *values; /* valid until FINISH where the statement has rows, else until the operation is done */
    int value_count;
    dbm_prepared *prepared;  /* with EXECUTE always set; its data is NULL when PREPARE is unsupported or still to be done */
    dbm_isolation isolation;
    bool read_only, write;   /* BEGIN; write also: the COMMAND changes data. The adapter may correct it, for a COMMAND that is only put in a queue, or that
                              * runs one; COMMAND, RECEIVE and SYNC that find the connection lost: whether anything unanswered changes data */
    bool one_row;            /* only the first row is wanted */
    bool reply, alone;       /* EXECUTE and COMMAND with no_wait: see DBM_ADAPTER_REPLIES */
    bool no_wait;            /* COMMIT of a read-only session: need not be waited for. EXECUTE and COMMAND (DBM_ADAPTER_PIPELINE): put it in the
                              * pipeline and be done, with `queued` set; at most DBM_PIPELINE_MAX EXECUTEs are unanswered at a time, this one
                              * counted, so it may have to wait for older ones. Values are copied; `prepared` stays until it is answered. Rows
                              * that it has are dropped. What can't go into the pipeline just now is run at once, and `queued` stays false */
    const char *site;        /* COMMAND with no_wait: where in the program, a text that stays; RECEIVE and SYNC, out, with a failure: that command's */
    int savepoint;
    int listen;              /* LISTEN: DBM_LISTEN_... */
    dbm_bulk_plan *bulk;     /* BULK, BULK_SEND, BULK_END, .bulk_row, .bulk_columns */
    int64_t deadline_us;     /* monotonic; INT64_MAX: none */
    size_t row_buffer;       /* EXECUTE, HOLD: bytes that may be put aside; more is DBM_E_LIMIT */
    /* out, and in again for FETCH, HOLD, FINISH */
    void *result;            /* the adapter's handle of the rows; NULL: the statement has none */
    int columns;
    bool row;                /* EXECUTE stands on the first row already, so that no FETCH is needed for it */
    int64_t affected;        /* rows matched or changed by a statement that writes, else -1 */
    int64_t last_id;         /* the key that the statement generated; 0: none was; -1, as it comes in: not an INSERT; DBM_LAST_ID_UNKNOWN */
    bool ended;              /* EXECUTE, COMMAND: the transaction has ended by itself (MySQL commits at DDL) */
    bool settled;            /* EXECUTE of a statement that writes and has rows: all its work is done, the rows are put aside */
    void *native;            /* NATIVE, NOTIFIED */
    bool undone;             /* RECEIVE of an EXECUTE, with a failure: it was not done for a reason that is not its own, and may be executed again */
    bool queued;             /* no_wait: it is in the pipeline, and a later operation tells how it went */
    /* Any kind: so many EXECUTEs of the pipeline, the oldest ones, were found to have succeeded; and affected and last_id of the last of them that writes,
     * -1 as they come in. With a failure: it is that of the next one after those (`of_pipeline`); those behind it were dropped, and so was this
     * operation, unless it is FINISH, which frees what is its own in any case. UNPREPARE tells nothing. A connection that breaks takes all with it. */
    int answered;
    int64_t sent_affected, sent_last_id;
    bool of_pipeline;
    /* step */
    bool may_wait;           /* in: who drives it has nothing else to do and no deadline to keep: start and step may wait for fd themselves, for a second
                              * each at most, instead of saying what they wait for */
    bool stop;               /* in, before a step (DBM_ADAPTER_STOPS): ask the server to stop this, without waiting for it to do so; step clears it. Until
                              * that was sent, fd may be another one than the connection's */
    int fd;
    int64_t wake_us;         /* set by step: when to be called again at the latest; INT64_MAX: no need */
    bool started;            /* set by start: nothing is to be done before fd is readable, so the first step comes then */
    void *state;             /* the adapter's, from start to DONE */
} dbm_op;

enum { DBM_PIPELINE_MAX = 256 };

/* What a session has left on its connection, which another connection would not have. */
typedef enum dbm_state {
    DBM__STATE_SIGNED = -1,
    DBM_STATE_NONE = 0,
    DBM_STATE_CHANGED,       /* settings of its own: RESET before the next user, unless pool_reset_on_return leaves them to him */
    DBM_STATE_TRANSACTION    /* something begun and not ended (MULTI, WATCH): RESET before the next user, always */
} dbm_state;

/* How a connection ends. */
typedef enum dbm_disconnect {
    DBM__DISCONNECT_SIGNED = -1,
    DBM_DISCONNECT_POLITE = 0, /* say goodbye, as the protocol wants it */
    DBM_DISCONNECT_BROKEN,     /* it is dead or out of step: no conversation */
    DBM_DISCONNECT_FORKED      /* it belongs to the parent process: forget it, send no byte */
} dbm_disconnect;

/* The parts of a database's URL, decoded. Any may be "". */
typedef struct dbm_url {
    const char *scheme;    /* "sqlite", without a driver suffix */
    const char *driver;    /* "asyncpg" of postgresql+asyncpg:// */
    const char *user, *password;
    const char *hosts;     /* "db1:5432,db2", still encoded as written */
    const char *path;      /* what follows the first slash after the hosts, or the file of sqlite:/// */
    const dbm_option *parameters; /* of the query string, decoded, in order */
    size_t parameter_count;
} dbm_url;

typedef struct dbm_adapter {
    uint32_t size;             /* sizeof(dbm_adapter) */
    uint32_t version;          /* DBM_ADAPTER_VERSION */
    const char *type;          /* "neo4j" */
    const char *schemes;       /* "neo4j,bolt"; NULL: the type */
    const char *options;       /* the adapter's own config keys, "fetch_size,realm" */
    unsigned flags;            /* DBM_ADAPTER_... */
    dbm_placeholders placeholders;
    unsigned lexer;            /* DBM_LEX_... */
    /* Required. init checks the configuration (dbm_adapter_option, dbm_adapter_url) and may prepare dbm_adapter_set_db_data();
     * close undoes it, when no connection is left. */
    dbm_status (*init)(dbm_database *db);
    void (*close)(dbm_database *db);
    /* Connections, blocking form: op->deadline_us bounds connect and ping. */
    dbm_status (*connect)(dbm_connection *c, dbm_op *op);
    void (*disconnect)(dbm_connection *c, dbm_disconnect how);
    dbm_status (*alive)(dbm_connection *c);               /* without a round trip: DBM_OK, or DBM_E_LOST */
    dbm_status (*ping)(dbm_connection *c, dbm_op *op);    /* with one */
    dbm_status (*reset)(dbm_connection *c, dbm_op *op);
    /* Any thread, while an operation runs: make it end soon, with DBM_E_CANCELLED where the server obeys. Must return within half a second
     * though the server be silent, and must not reach what the connection does next. Called at a deadline too: dbm.h then waits for one second more
     * for the operation to end, and keeps the connection when it does. */
    void (*cancel)(dbm_connection *c);
    /* Which of our statuses a native error is, and whether it is worth a retry; may be left out. */
    dbm_status (*classify)(dbm_connection *c, const char *sqlstate, int native, bool *retryable);
    /* Operations, blocking form: execute serves every kind that has no entry of its own. */
    dbm_status (*execute)(dbm_connection *c, dbm_op *op);
    dbm_status (*fetch)(dbm_connection *c, dbm_op *op);
    /* Column i of the row in hand. Texts stay valid until the next FETCH or FINISH; they are NUL-terminated. */
    dbm_status (*column)(dbm_connection *c, dbm_op *op, int i, dbm_value *out);
    const char *(*column_name)(dbm_connection *c, dbm_op *op, int i);
    /* The same operations without blocking: start, then step until DBM_STEP_DONE. They take the place of connect, ping, reset,
     * execute and fetch when both are set. execute (asked for FINISH and, of a pipeline, for COMMAND with no_wait and for RECEIVE) and fetch may
     * be there beside them, for what is done from memory: they never wait, and answer DBM_E_UNSUPPORTED, having changed nothing, where start must take the operation on. */
    void (*start)(dbm_connection *c, dbm_op *op);
    dbm_step (*step)(dbm_connection *c, dbm_op *op);
    /* Bulk, after BULK, never waiting for a server: takes one row (op->bulk->column_count values, valid during the call); op is BULK's. DBM_DONE: taken,
     * and BULK_SEND must come before the next one. */
    dbm_status (*bulk_row)(dbm_connection *c, dbm_op *op, const dbm_value *values);
    /* The same for rows first .. first + count of arrays, one a column; *taken says how many it took, all unless it answers DBM_DONE or a failure. May be
     * left out, or answer UNSUPPORTED: dbm.h makes rows of them. */
    dbm_status (*bulk_columns)(dbm_connection *c, dbm_op *op, const dbm_column *columns, size_t first, size_t count, size_t *taken);
} dbm_adapter;

/* DBM_ADAPTER(.type = "neo4j", .init = neo4j_init, ...): an adapter table with size and version filled in, in C and in C++11, as the
 * initialiser of a static const dbm_adapter. */
#if defined(__cplusplus)
#  define DBM_ADAPTER(...) \
    []() -> dbm_adapter { \
        dbm_adapter dbm__o = dbm_adapter(); \
        dbm__o.size = sizeof(dbm_adapter); \
        dbm__o.version = DBM_ADAPTER_VERSION; \
        (void)(DBM__MAP(DBM__ASSIGN, __VA_ARGS__)); \
        return dbm__o; \
    }()
#else
#  define DBM_ADAPTER(...) { .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, __VA_ARGS__ }
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Makes an adapter type known to a manager, before dbm_load() or dbm_add_database() names it. The table must outlive the manager.
 * Errors    E_MISUSE (init or close missing, other version, type or scheme taken), E_NOMEM.
 * Threads   any. */
DBM_API dbm_status dbm_register(dbm_manager *mgr, const dbm_adapter *adapter);

/* For adapters: reports what went wrong, in the driver's words; returns the status, so that `return dbm_adapter_fail(...)` works.
 * status    DBM_OK asks classify, or the SQLSTATE's class, for it.
 * sqlstate  five characters, or NULL. native: the driver's code. text: copied; secrets of this database are blanked out. */
DBM_API dbm_status dbm_adapter_fail(dbm_connection *c, dbm_status status, const char *sqlstate, int native, const char *text);
/* The same for init, which has no connection yet. */
DBM_API dbm_status dbm_adapter_fail_init(dbm_database *db, dbm_status status, const char *text);
/* Marks the last failure: retryable, or a constraint's kind and name. Call after dbm_adapter_fail. */
DBM_API void dbm_adapter_fail_retryable(dbm_connection *c);
DBM_API void dbm_adapter_fail_constraint(dbm_connection *c, dbm_constraint kind, const char *name);
/* The connection can't be used again: it is closed instead of returned. */
DBM_API void dbm_adapter_broken(dbm_connection *c);
/* For adapters that know what their commands leave behind (and have .alive or DBM_ADAPTER_SOCKET): while there is anything, no other connection takes
 * the place of this one within its session, and RESET comes before the next user. A new connection has DBM_STATE_NONE; RESET sets it again. */
DBM_API void dbm_adapter_state(dbm_connection *c, dbm_state state);

/* A key of .options, a connect_args.x key, or a URL parameter, in this order; NULL when it is not set. */
DBM_API const char *dbm_adapter_option(dbm_database *db, const char *key);
DBM_API const dbm_url *dbm_adapter_url(dbm_database *db);
/* The configuration with every default filled in; 0 means "none" or "never" where that makes sense. */
DBM_API const dbm_config *dbm_adapter_config(dbm_database *db);
/* User and password for a connect that is about to be made: from the callback, or the URL. */
DBM_API dbm_status dbm_adapter_credentials(dbm_connection *c, dbm_credentials *out);

DBM_API dbm_database *dbm_adapter_database(dbm_connection *c);
DBM_API void dbm_adapter_set_data(dbm_connection *c, void *data);
DBM_API void *dbm_adapter_data(dbm_connection *c);
DBM_API void dbm_adapter_set_db_data(dbm_database *db, void *data);
DBM_API void *dbm_adapter_db_data(dbm_database *db);
/* What dbm_db_native() hands out, where that is not the data set above. */
DBM_API void dbm_adapter_set_db_native(dbm_database *db, void *native);
/* At init: one connection only, never closed for age or idleness (an in-memory database). */
DBM_API void dbm_adapter_single(dbm_database *db);
/* At init: writers of this process take turns, in a queue shared by all databases of the manager that name the same key.
 * At connect: readers_block says that a reader with an open transaction would block the writer's commit. */
DBM_API dbm_status dbm_adapter_gate(dbm_database *db, const char *key);
DBM_API void dbm_adapter_readers_block(dbm_connection *c, bool readers_block);
/* Within a COMMIT, or a statement without a transaction: what was written is committed, and only work that holds up no other writer is left to
 * do. The next writer has its turn now, not when the operation ends.
 * Threads   the one that runs the operation. */
DBM_API void dbm_adapter_written(dbm_connection *c);
/* Memory from the manager's allocator. */
DBM_API void *dbm_adapter_alloc(dbm_database *db, size_t size);
DBM_API void *dbm_adapter_resize(dbm_database *db, void *block, size_t size);
DBM_API void dbm_adapter_free(dbm_database *db, void *block);
/* Monotonic microseconds by the manager's clock. */
DBM_API int64_t dbm_adapter_clock(dbm_database *db);
/* Milliseconds that are left for an operation: until its deadline, or socket_timeout where that is shorter; 1 at least, -1 when it has all the
 * time in the world. For drivers that take a time-out and block. */
DBM_API int dbm_adapter_left_ms(dbm_connection *c, const dbm_op *op);
/* Host number i (from 0) of the URL: decoded, an IPv6 address without its brackets, and its port (`port` stays as it is where the URL has none).
 * Returns   false when there is no such host, or when it does not fit. */
DBM_API bool dbm_adapter_host(dbm_database *db, int i, char *host, size_t n, int *port);
/* A value as text, for drivers that want all as text: what a text holds itself, a number, "2024-02-29 12:34:56.789012" of a timestamp, "true"
 * and "false"; "" of NULL. What has to be written out is written to `block`. */
DBM_API const char *dbm_adapter_text(const dbm_value *v, char block[64], size_t *size);
/* Microseconds since 1970 UTC of such a text, of ISO 8601 with T, Z and offsets, or of a date alone; false when it is none. */
DBM_API bool dbm_adapter_timestamp(const char *text, size_t size, int64_t *microseconds);
/* The TLS mode in force for a connect: as configured; else DBM_TLS_OFF where `local` (loopback, or a local socket) and DBM_TLS_PREFER elsewhere. */
DBM_API dbm_tls dbm_adapter_tls(dbm_database *db, bool local);
/* A connection that was made with a password to another host is not encrypted, and nobody said so (tls not set): warns, once per database. */
DBM_API void dbm_adapter_clear_text(dbm_connection *c);
/* Element i of an array that is a column; its text is the caller's. Errors, not reported: E_RANGE (a char[N] without NUL), E_MISUSE. */
DBM_API dbm_status dbm_adapter_element(const dbm_column *column, size_t i, dbm_value *out);
/* With bulk->each_row, in BULK_SEND and BULK_END: the failure reported last by dbm_adapter_fail() is that of this row (from 0). The operation goes on. */
DBM_API void dbm_adapter_bulk_refused(dbm_connection *c, dbm_op *op, int64_t row);
/* A text of the server for the log. */
DBM_API void dbm_adapter_notice(dbm_connection *c, const char *text);

#ifdef __cplusplus
}
#endif
