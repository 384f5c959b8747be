/* Databases and connections as every room below sees them, and the running of operations: the step loop, the blocking entries, and
 * the emulation of what an adapter leaves out.
 * May call: api/, base/, net/, config/.
 * Must not know: pools, sessions, SQL beyond the few words of a transaction. */
#ifndef DBM__ADAPTER_H
#define DBM__ADAPTER_H
#include "../base/base.h"
#include "../net/net.h"
#include "../config/config.h"

/* One database. The first block never changes after init and is what the hot path reads. */
struct dbm_database {
    struct dbm__pool *pool;          /* NULL until init; pool/ */
    const dbm_adapter *adapter;
    dbm__host *host;
    struct dbm__gate *gate;          /* where writers take turns; NULL: nowhere */
    bool transactions, savepoints, one_result, pipeline, replies; /* the adapter's flags */
    bool transactions_asked;         /* the same: for sessions that ask */
    bool single;                     /* one connection, for ever */
    bool autocommit;                 /* isolation_level = AUTOCOMMIT */
    dbm_isolation isolation;
    const char *name;
    dbm__settings *settings;
    struct dbm__shared *shared;      /* what the databases of a manager share; pool/ */
    void *data;                      /* the adapter's */
    dbm__word native;                /* a pointer: dbm_db_native()'s, where that is not `data` */
    dbm__word clear_text;            /* the warning about a password in clear has been given */
    /* Called on a connection that has just been made, before it serves: makes its statement cache, runs init_sql. session/ */
    dbm_status (*on_connect)(struct dbm_connection *c, int64_t deadline_us);
    /* Called before a connection is closed. session/ */
    void (*on_disconnect)(struct dbm_connection *c);
    /* After an operation that answers some of the pipeline, or broke the connection: takes note, and returns what became of `st`. session/ */
    dbm_status (*on_answered)(struct dbm_connection *c, dbm_op *op, dbm_status st);
    /* In a child process, for every slot, before its connection is forgotten: c->open is false, so that nothing is sent. session/ */
    void (*on_fork)(struct dbm_connection *c);
    /* How far init has come; guarded by init_lock, read by atomics. */
    dbm__lock init_lock;
    dbm__word state;                 /* DBM__DB_... */
    dbm_error_info *init_error;
};
enum { DBM__DB_NEW = 0, DBM__DB_READY = 1, DBM__DB_FAILED = 2, DBM__DB_CLOSED = 3 };

#define DBM__CANCELLED_BY(cancelled) (dbm__load(cancelled) > 1 ? "dbm_async_cancel, its task's cancel, or a time limit" : "dbm_cancel")
/* One physical connection. Belongs to whoever has its slot. */
struct dbm_connection {
    dbm_database *db;
    void *data;                      /* the adapter's */
    struct dbm__cache *cache;        /* its prepared statements; sql/ */
    bool open;                       /* connect succeeded, disconnect not yet called */
    bool broken;                     /* to be closed, not returned */
    bool readers_block;              /* see dbm_adapter_readers_block() */
    bool reported;                   /* dbm_adapter_fail() was called during this operation */
    bool alone;                      /* a listener's own: in no slot of the pool, and without sessions */
    bool connecting;                 /* failures are of stage CONNECT */
    dbm_state state;                 /* see dbm_adapter_state() */
    dbm__word cancelled;             /* 1: by dbm_cancel, until the session ends; more: with its call; every operation that can be cancelled is */
    dbm__word cache_hits, cache_misses, cache_evictions; /* for dbm_stats; written by whoever has it */
    char *user, *password;           /* of the credential callback, until the connect is done */
};

/* dbm_adapter_fail() and dbm_adapter_fail_init() with a text that is put together. */
DBM__FN dbm_status dbm__adapter_say(dbm_connection *c, dbm_status status, const char *sqlstate, int native, const char *format, ...);
DBM__FN dbm_status dbm__adapter_refuse(dbm_database *db, dbm_status status, const char *format, ...);
/* Memory for rows that are put aside: chunks that grow, all dropped together; a connection keeps a first one as its spare, for the next rows. */
typedef struct dbm__aside_chunk { struct dbm__aside_chunk *next; size_t size, used; } dbm__aside_chunk;
typedef struct dbm__aside { dbm__aside_chunk *chunks; size_t kept; } dbm__aside;
#define DBM__ASIDE_ALIGNED(n) (((n) + 7u) & ~(size_t)7u)
#define DBM__ASIDE_CHUNK ((size_t)8192) /* the first one */
/* Room in the newest chunk, or in a new one: as large as all before, within the limit. NULL: *status is E_LIMIT or E_NOMEM. */
DBM__FN void *dbm__aside_room(dbm_database *db, dbm__aside *a, dbm__aside_chunk **spare, size_t size, size_t limit, dbm_status *status);
DBM__FN void dbm__aside_drop(dbm_database *db, dbm__aside *a, dbm__aside_chunk **spare);
/* What is for the driver: the URL's parameters, then the keys connect_args.NAME, one at a time, beginning with *i = 0. Returns where it stands, in words; NULL:
 * there is no more. */
DBM__FN const char *dbm__adapter_argument(dbm_database *db, size_t *i, dbm_option *out);
/* One of them, or a key, that is none of `names`: refused, as what `none` says, with the name that is nearest. */
DBM__FN dbm_status dbm__adapter_unknown(dbm_database *db, const char *where, const char *name, const char *const *names, size_t count, const char *none);
DBM__INLINE void *dbm__adapter_zeroed(dbm_database *db, size_t size) { return dbm__alloc_zero(db->host, size); }
/* Checks an adapter's table before it is registered. E_MISUSE says what is wrong. */
DBM__FN dbm_status dbm__adapter_check(const dbm_adapter *adapter);
/* Runs one operation to its end: step loop or blocking entry. UNSUPPORTED is emulated where that is possible. The failure, if any, is
 * this thread's last error, with database and stage. */
DBM__FN dbm_status dbm__op_run(dbm_connection *c, dbm_op *op);
/* The same for start/step adapters in pieces, for who waits for several at once: start; then, until `want` is DBM_STEP_DONE, wait for op->fd
 * and `want` until dbm__running_until() at the latest (INT64_MAX: look in after a second) and tell dbm__running_heard() what came: DBM_OK, DBM_E_TIMEOUT or
 * what dbm__net_wait() said, or DBM_E_CLOSED: nobody waits any longer; then dbm__op_end(c, op, op->status). c->reported must be false at the start. */
typedef struct dbm__running {
    dbm_connection *c;
    dbm_op *op;
    dbm_step want;
    int phase;
    bool cancellable;
    int64_t limit_us, quiet_us;
} dbm__running;
DBM__FN void dbm__running_start(dbm__running *r, dbm_connection *c, dbm_op *op);
DBM__FN int64_t dbm__running_until(dbm__running *r);
DBM__FN void dbm__running_heard(dbm__running *r, dbm_status heard);
DBM__FN void dbm__running_give_up(dbm__running *r, dbm_status st, const char *why); /* at any time; the connection is broken then */
DBM__FN dbm_status dbm__op_end(dbm_connection *c, dbm_op *op, dbm_status st);
/* FINISH: from memory, where the adapter has it so. */
DBM__INLINE void dbm__op_finish(dbm_connection *c, dbm_op *op) {
    const dbm_adapter *a = c->db->adapter;
    if (DBM__UNLIKELY(a->execute == NULL || a->execute(c, op) == DBM_E_UNSUPPORTED)) dbm__op_run(c, op);
}
/* A listener's own connection: begun; CONNECT is run on it as any operation is, and its end told; at last dbm__connection_close(). */
DBM__FN void dbm__connection_alone(dbm_connection *c, dbm_database *db);
DBM__FN dbm_status dbm__connection_made_alone(dbm_connection *c, dbm_status st);
/* An empty operation. */
DBM__FN void dbm__op_init(dbm_op *op, dbm_op_kind kind, int64_t deadline_us);
/* Forgets what the credential callback gave for a connect that is done. */
DBM__FN void dbm__credentials_drop(dbm_connection *c);
DBM__FN void dbm__connection_close(dbm_connection *c, dbm_disconnect how);
/* The failure of a blocking entry, completed and reported; for callers that call an entry themselves on the hot path. */
DBM__FN dbm_status dbm__op_failed(dbm_connection *c, dbm_op_kind kind, dbm_status status);
#endif /* DBM__ADAPTER_H */
