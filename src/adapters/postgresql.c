/* PostgreSQL, through libpq 12 or newer: one non-blocking flow, started and stepped.
 * May call: api/, base/, net/, config/ (values of options), sql/ (texts of numbers, the end of a statement), and libpq.
 * Must not know: pools, sessions, other adapters. */
#include "adapters.h"
#include "postgresql.h"
#include "../net/net.h"
#include "../config/config.h"
#include "../sql/sql.h"
#if DBM_HAS_POSTGRESQL && !defined(DBM__PG_MISSING)
#if defined(LIBPQ_HAS_PIPELINING) && !defined(DBM__PG_NO_PIPELINE) /* a test does without it too */
#  define DBM__PG_PIPELINE 1
#else
#  define DBM__PG_PIPELINE 0
#endif
#if defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__PG_POSIX 1
#  include <errno.h>
#  include <fcntl.h>
#  include <stdio.h>
#  include <stdlib.h>
#  include <sys/socket.h>
#  include <sys/un.h>
#  include <unistd.h>
#else
#  define DBM__PG_POSIX 0
#endif
/* How a cancel is sent: by libpq 17's own non-blocking calls; by our own sixteen bytes, for which the key is learned from a trace of the
 * connect; or by PQcancel, which waits as long as the server does. */
#if defined(LIBPQ_HAS_ASYNC_CANCEL)
#  define DBM__PG_CANCEL_ASYNC 1
#  define DBM__PG_CANCEL_KEY 0
#elif DBM__PG_POSIX && defined(LIBPQ_HAS_TRACE_FLAGS) && (!defined(__GLIBC__) || defined(__USE_XOPEN2K8) || defined(__cplusplus))
#  define DBM__PG_CANCEL_ASYNC 0
#  define DBM__PG_CANCEL_KEY 1
#else
#  define DBM__PG_CANCEL_ASYNC 0
#  define DBM__PG_CANCEL_KEY 0
#endif
#define DBM__PG_CANCEL_US 500000 /* that a cancel may take */

/* One operation is a list of commands that are sent together and answered one after the other:
 *
 *     wait:  BEGIN, SAVEPOINT, RELEASE, ROLLBACK TO that were asked for and cost nothing yet
 *     sent:  [BEGIN] [SAVEPOINT] [CLOSE] [DEALLOCATE] [PREPARE] RUN SYNC      answered from the head on
 *            [COMMIT SYNC] of a read-only session may stand before them: nobody waited for its answer,
 *            or [BEGIN] SENT SENT SENT, statements that were only put in the pipeline; the SYNC behind a later operation is theirs too, so that
 *            what stands behind a failure is not done. Outside of a transaction each has a SYNC of its own, and what waits lets them be answered first
 *
 * A list of several commands goes through libpq's pipeline. One that is alone does not, which spares libpq the answer to SYNC; nor does any
 * with libpq 12 and 13, which have no pipeline: then the same list is sent one command at a time, and after a failure what is left of it up
 * to SYNC is skipped, as the server skips it in a pipeline.
 *
 * Rows come in one of two ways. In a transaction a query that has not proved small is DECLAREd as a cursor and FETCHed in batches, so nothing is
 * under way between two of them. All else runs directly, and its rows come singly until they end: `live`. So is a batch whose rows turn out
 * larger than those before them. */

/* ---- what it keeps ----------------------------------------------------------------------------------------------- */

enum { /* commands */
    DBM__PG_BEGIN = 1,   /* number: isolation, and 8 for READ ONLY */
    DBM__PG_SAVEPOINT, DBM__PG_RELEASE, DBM__PG_ROLLBACK_TO,   /* number: the savepoint's */
    DBM__PG_CLOSE,       /* number: the cursor's */
    DBM__PG_DEALLOCATE,  /* number: the statement's */
    DBM__PG_PREPARE, DBM__PG_DECLARE, DBM__PG_FETCH, DBM__PG_RUN, /* of q->main; FETCH: number of rows */
    DBM__PG_SENT,        /* number: DBM__PG_WRITES ...; s: the statement, or the place of its result */
    DBM__PG_COMMIT, DBM__PG_ROLLBACK, DBM__PG_PING,
    DBM__PG_DISCARD, DBM__PG_SET, DBM__PG_INIT, /* of a reset; INIT: number is where in init_sql */
    DBM__PG_PARSE, DBM__PG_DESCRIBE, DBM__PG_COPY, /* of a bulk */
    DBM__PG_ROW_OF_BULK, /* number: which one */
    DBM__PG_SYNC
};
enum {
    DBM__PG_WRITES = 1, DBM__PG_HAS_ROWS = 2, DBM__PG_SEEN = 4, /* the first of them */
    DBM__PG_ALONE = 8,   /* it has succeeded when its SYNC has */
    DBM__PG_NAMED = 16, DBM__PG_BOUND = 32, /* the server has taken its values */
    DBM__PG_REPLY_TO = 64 /* s is the place of its result */
};
enum { DBM__PG_TX_NONE = 0, DBM__PG_TX_QUEUED, DBM__PG_TX_OPEN };
enum { DBM__PG_TAKE = 0, DBM__PG_FIRST, DBM__PG_KEEP, DBM__PG_DROP }; /* what is done with rows that come singly */
/* What must come before the operation: some answers of the pipeline, all of them, the next one that is to be received; what the short way is owed; what
 * the program has begun with libpq's handle. */
enum { DBM__PG_GO = 0, DBM__PG_ROOM, DBM__PG_DRAIN, DBM__PG_REPLY, DBM__PG_OWED, DBM__PG_FROM_NATIVE };
enum { DBM__PG_WAITS = 0, DBM__PG_ROW, DBM__PG_ALL, DBM__PG_DEAD };   /* how far the answers have been read */
enum { DBM__PG_OFF = 0, DBM__PG_CONNECTING, DBM__PG_READY, DBM__PG_NATIVE_USE };

typedef struct dbm__pg_item {
    unsigned char kind;
    bool silent;             /* nobody waits for its answer */
    uint32_t number;
    int depth;               /* CLOSE: savepoints that were open when the cursor was opened */
    struct dbm__pg_statement *s; /* PREPARE, SENT */
} dbm__pg_item;

typedef struct dbm__pg_list { dbm__pg_item *at; int head, count, capacity; } dbm__pg_list;

/* Of a database, from init to close: what is passed to libpq. The texts lie behind it, or belong to the configuration. */
typedef struct dbm__pg_base {
    const char **keys, **values; /* NULL-terminated; user, password, host and port are put in at [0] to [3] */
    int count;
    const char *hosts, *ports; /* lists of the same length; NULL: none, libpq's own default */
    int host_count;
    bool dsn;                /* [4] is a connection string of libpq's */
    bool cached;             /* statements are kept: statement_cache is not 0 */
    dbm__word schema;        /* counts what may have changed it */
    bool own_zone;           /* the program chose its TimeZone in `options` */
    bool remote;             /* some host is neither this machine nor a socket file */
} dbm__pg_base;

/* A row that was put aside: its cells, then their bytes. */
typedef struct dbm__pg_cell { const char *data; int size; } dbm__pg_cell; /* size -1: NULL */
typedef struct dbm__pg_held { struct dbm__pg_held *next; dbm__pg_cell cells[1]; } dbm__pg_held;

/* What the server has sent, on the short way. */
typedef struct dbm__pg_in {
    char *data;
    size_t size;
    size_t row, at, end;     /* the next row that is handed out; what has been looked at; what has come */
    size_t keep;             /* more may come behind this much of it */
} dbm__pg_in;

/* What the columns of a statement are, for it and for results of it. */
typedef struct dbm__pg_about { PGresult *res; int uses; } dbm__pg_about;

/* What a column was turned into, where libpq's own bytes are not what is handed out. */
typedef struct dbm__pg_text {
    uint32_t serial;         /* of the row that it is of */
    void *owned;             /* a decoded bytea */
    const char *data;
    size_t size;
    char block[40];
} dbm__pg_text;

/* Of a statement: what prepared->data and, while its rows are read, op->result point to. */
typedef struct dbm__pg_statement {
    struct dbm__pg *q;
    uint32_t id;             /* of its name on the server */
    char name[28];
    uint32_t age;            /* of the connection when it was prepared there */
    dbm__word names;         /* and dbm__pg_names() then */
    bool kept;               /* is on the server */
    bool seen;               /* ran before */
    bool known;              /* so are the columns' types, in `types`, */
    bool rowless;            /* or that it has none */
    bool binary;             /* all columns of the one on the server can be read in binary */
    bool inserts, selects, listens;
    bool planned;            /* its columns stay as they are while the server keeps it, which those of FETCH and EXECUTE don't */
    bool moves;              /* names may mean something else behind it */
    bool copies_in, copies_out; /* COPY ... FROM STDIN, COPY ... TO STDOUT */
    unsigned char small_runs; /* in a row, whose rows were few */
    int row_size;            /* of the largest row so far, about */
    dbm__pg_about *about;    /* its columns, where it is known to have some */
    /* of the result in progress */
    PGresult *res;           /* its columns, and the row or rows in hand */
    dbm__pg_in in;           /* or, by the short way, what they lie in; */
    char *pinned;            /* the row in hand, when the others have come elsewhere meanwhile */
    const dbm__pg_cell *cells; /* the row in hand, where it is not a row of `res` */
    dbm__pg_cell *block, copied; /* of cells: twice as many as there are columns; and their types */
    int row, rows;
    bool live, ended, binary_rows, next_binary, lost;
    bool looped;             /* statements run amid its rows */
    bool copying;            /* COPY sends its rows */
    uint32_t cursor;         /* open on the server; 0: none */
    int depth;
    int fetch;               /* rows of the last FETCH, */
    int64_t fetched;         /* and all of those before it */
    int64_t total;
    int columns;
    Oid *types;              /* of its columns */
    int types_capacity;
    uint32_t serial;         /* of the row in hand */
    dbm__pg_held *held, *last_held, *now; /* now: the row in hand, when it is one of them */
    dbm__aside aside;
    dbm__pg_text *texts;
    int texts_count;
    struct dbm__pg_statement *next_cursor;
    /* where it is but the place of a result: that of a queued statement, complete before it is received, and its own until it is done with */
    struct dbm__pg_statement *of;
    bool first_only, writes, undone;
    dbm_status wrong;        /* it can't be kept: LIMIT, NOMEM */
    char *fault;             /* or the statement has failed */
    PGresult *error;
    int64_t affected;
    size_t limit;
} dbm__pg_statement;

/* A cancel that is on its way. */
typedef struct dbm__pg_kill {
    int fd;
    bool active, late, begun, sent;
    int64_t until_us;
#if DBM__PG_CANCEL_ASYNC
    PGcancelConn *request;
    PostgresPollingStatusType next;
#endif
} dbm__pg_kill;

enum { DBM__PG_EACH_ROWS = 128, DBM__PG_EACH_BYTES = 65536 };
#define DBM__PG_EACH_POINT UINT32_MAX /* its savepoint's number */

struct dbm__pg_each {
    dbm_value *values;       /* of all rows; a text is in `texts`, by its offset. One that was refused is DBM_TYPE_INVALID at first */
    int64_t numbers[DBM__PG_EACH_ROWS];
    char *texts;
    size_t size, capacity;
    int rows, columns;
    int first, limit;        /* in flight; */
    int failed;              /* of them, -1: none */
    int window;              /* rows of the next one */
    bool undo;               /* the one before has failed */
    int64_t flown, written;  /* by this flight, by all before */
};

/* Of a connection. */
typedef struct dbm__pg {
    PGconn *conn;
    dbm_connection *c;
    dbm_database *owner;
    dbm__pg_base *base;
    dbm_op *op;              /* in progress */
    char *listen;            /* the statements of a listener */
    PGnotify *told;          /* the notification handed out last, */
    dbm_notification notification; /* and as it is seen from outside */
    dbm__pg_statement *main; /* whose rows or run it is about */
    dbm__pg_list sent, wait, closes, drops;
    int emitted;             /* of `sent` */
    int state;
    int tx;                  /* DBM__PG_TX_... */
    bool failed_tx;          /* the server accepts nothing but its end */
    bool local;              /* the operation was over when it began */
    bool fresh;              /* nothing can have arrived since libpq was last asked */
    bool dry;                /* the last read of the short way left nothing to be read */
    bool armed;              /* the command at the head comes by single rows */
    bool piped;              /* what is in `sent` goes through the pipeline */
    bool tls;
    bool skipping;           /* without a pipeline: after a failure, up to SYNC */
    bool setup;              /* session settings are still to be sent */
    bool set_style, set_interval, set_zone, set_limit; /* which ones */
    bool poisoned;           /* what nobody waited for has failed */
    bool retried;
    bool was_open;           /* the transaction, when the operation began */
    bool given_up;           /* the operation before it came to no end */
    bool full;               /* row_buffer is */
    bool no_memory;
    bool cursor_run, named_run;
    dbm__pg_kill kill;       /* of our own: the driver of the operation wants its end, or nobody wants its rows */
    bool killed;             /* it was begun in this operation; */
    int64_t patience_us;     /* when it is, at the end of a bulk */
    bool ended;              /* which is over but for it */
    int mode;                /* of rows: DBM__PG_TAKE ... */
    int depth;               /* savepoints, as asked for */
    int wait_used;           /* of `wait`: sent with the command in progress */
    int64_t dropped;
    int64_t affected;
    int before;              /* DBM__PG_GO ... */
    int unanswered;          /* SENT in `sent`; */
    int unasked;             /* of them, those that the server has not been told to answer, */
    size_t unasked_bytes;    /* and their texts */
    bool unsynced;           /* no SYNC stands behind the last of them */
    int answered;            /* to be told by the next operation, as is what follows */
    int64_t sent_affected, sent_last_id;
    PGresult *sent_error;
    char *sent_fault;        /* the same by the short way */
    Oid sent_type;           /* of the first column of the one that is being answered */
    bool of_pipeline;        /* the error of this operation is sent_error */
    int replies;             /* of the unanswered ones, those that are to be received: all or none */
    dbm__pg_statement *ready, *last_ready; /* answered and not received */
    dbm__pg_statement *spare; /* places for results */
    dbm__aside_chunk *spare_chunk;
    PGresult *error;         /* the first failure of this operation; */
    char *fault;             /* or, by the short way, as the server sent it */
    /* the short way */
    bool lane_can, lane_on;  /* can be taken on this connection; now */
    bool lane;               /* is taken by the operation */
    bool ours;               /* and by `sent` */
    bool beginning;          /* BEGIN is unanswered */
    bool closing;            /* the outcome is known, and the server will be ready soon */
    bool gather;             /* all rows are wanted at once */
    bool ddl;                /* the transaction has changed the schema, maybe; */
    bool moved;              /* or what names mean here, */
    dbm__word moves;         /* which this counts */
    bool bound;              /* the server has taken the values */
    bool laned;              /* libpq does not know of the transaction as it is */
    bool settings_moved;     /* nor of all settings */
    uint32_t begins;         /* which BEGINs the server has prepared, by */
    char begin_name[20];     /* this name and a letter behind it */
    size_t begin_size;
    int awaited, owed;       /* times that the server will be ready; of them, those that nobody waits for */
    int fd;
    dbm__pg_in in;
    char *out;
    size_t out_size, out_at, out_end;
    dbm_status outcome;
    dbm__pg_statement *cursors;
    dbm__pg_copy *copy;      /* the bulk that is open, */
    struct dbm__pg_each *each; /* or one of single rows */
    bool copying;            /* the server takes its rows */
    bool copy_blind;         /* what the server says meanwhile can't be told apart any more */
    bool copy_tail;          /* its end was told, which libpq may still have to send */
    bool before_copy;        /* what must be done first is under way */
    uint32_t names, cursor_names, age, salt;
    dbm__word cancelled;     /* since the operation began */
    char *block;             /* texts of parameters, or of a statement that is put together */
    size_t block_size;
    char *declare;           /* behind them */
    int prefix;              /* bytes of it before the program's statement */
    const char **params;
    int *lengths, *formats;
    bool blobs;              /* among them; without any, formats need not be said */
    size_t bytes;            /* that they need in a message, at the most */
    int params_capacity;
    bool ssl_phase;          /* of a connect: TLS was being negotiated when it failed */
    int host;                /* of a connect: the first of the list that is still tried */
    int64_t host_until_us;   /* when the next one gets its turn */
    /* for cancel, which any thread may call; unchanged once connected */
    int pid, key;
    bool has_key;
#if DBM__PG_POSIX
    struct sockaddr_storage peer;
    socklen_t peer_size;
#endif
#if DBM__PG_CANCEL_KEY
    FILE *trace;
    char *trace_text;
    size_t trace_size;
#endif
} dbm__pg;

#define DBM__PG_LEXER (DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING)
#define DBM__PG_BLOCK_KEPT ((size_t)65536)
#define DBM__PG_FIRST_ROWS 64    /* of the first FETCH */
#define DBM__PG_MOST_ROWS 4096    /* of a later one, if they are small */
#define DBM__PG_LOOP_ROWS 256    /* where statements run amid the rows: what is under way must fit row_buffer then */
#define DBM__PG_BATCH_BYTES 262144
#define DBM__PG_MOST_BYTES ((size_t)524288) /* of a batch that are gathered before its rows are handed out */
#define DBM__PG_SMALL_RUNS 2

/* Their binary form says exactly what their text says. numeric is left out: its text is what we hand out, and the server writes it faster. */
static bool dbm__pg_in_binary(Oid type) {
    switch ((int)type) {
    case DBM__PG_BOOL: case DBM__PG_BYTEA: case DBM__PG_CHAR: case DBM__PG_NAME: case DBM__PG_INT8: case DBM__PG_INT2: case DBM__PG_INT4:
    case DBM__PG_TEXT: case DBM__PG_OID: case DBM__PG_JSON: case DBM__PG_FLOAT4: case DBM__PG_FLOAT8: case DBM__PG_UNKNOWN:
    case DBM__PG_BPCHAR: case DBM__PG_VARCHAR: case DBM__PG_DATE: case DBM__PG_TIMESTAMP: case DBM__PG_TIMESTAMPTZ: case DBM__PG_UUID:
    case DBM__PG_JSONB:
        return true;
    default: return false;
    }
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

/* libpq's own words, in one line. */
static void dbm__pg_words(dbm__text *t, const char *said) {
    if (said == NULL) return;
    while (*said != '\0') {
        size_t n = strcspn(said, "\n\t");
        dbm__put_n(t, said, n);
        said += n + strspn(said + n, "\n\t ");
        if (*said != '\0') dbm__put(t, " ");
    }
}

/* A field of the operation's failure, by the letter that the protocol gives it; libpq's PG_DIAG_ codes are the same letters. */
static const char *dbm__pg_field(const char *fault, char code) {
    while (*fault != '\0' && *fault != code) fault += strlen(fault) + 1;
    return *fault != '\0' ? fault + 1 : NULL;
}
static const char *dbm__pg_said(const dbm__pg *q, char code) {
    return q->fault != NULL ? dbm__pg_field(q->fault, code) : q->error != NULL ? PQresultErrorField(q->error, code) : NULL;
}

DBM__INLINE bool dbm__pg_failed(const dbm__pg *q) { return q->error != NULL || q->fault != NULL; }
DBM__INLINE bool dbm__pg_sent_failed(const dbm__pg *q) { return q->sent_error != NULL || q->sent_fault != NULL; }

static void dbm__pg_failure_drop(dbm__pg *q) {
    PQclear(q->error);
    q->error = NULL;
    dbm_adapter_free(q->owner, q->fault);
    q->fault = NULL;
}

static dbm_status dbm__pg_lost(dbm__pg *q) {
    const char *primary = dbm__pg_said(q, PG_DIAG_MESSAGE_PRIMARY), *words = primary != NULL ? primary : PQerrorMessage(q->conn);
    char block[700];
    dbm__text t = dbm__text_in(block, sizeof block);
    dbm__put(&t, q->poisoned ? "the connection could not be reset after its last use" : "the connection was lost");
    if (!q->poisoned && words[0] != '\0') {
        dbm__put(&t, ": ");
        dbm__pg_words(&t, words);
    }
    dbm__text_end(&t);
    dbm_adapter_fail(q->c, DBM_E_LOST, dbm__pg_said(q, PG_DIAG_SQLSTATE), 0, block);
    dbm_adapter_broken(q->c);
    return DBM_E_LOST;
}

static const char *dbm__pg_or_empty(const char *text) { return text != NULL ? text : ""; }

/* A plan that the server keeps is no longer good, or is gone: a schema was changed, a pooler gave another server. */
static bool dbm__pg_is_stale(const char *state, const char *where) {
    return state != NULL && (strcmp(state, "26000") == 0 || (strcmp(state, "0A000") == 0 && where != NULL && strcmp(where, "RevalidateCachedQuery") == 0));
}

/* What the server said about the operation. */
static dbm_status dbm__pg_refused(dbm__pg *q) {
    const char *state = dbm__pg_or_empty(dbm__pg_said(q, PG_DIAG_SQLSTATE)), *primary = dbm__pg_said(q, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = dbm__pg_said(q, PG_DIAG_MESSAGE_DETAIL), *hint = dbm__pg_said(q, PG_DIAG_MESSAGE_HINT);
    const char *position = dbm__pg_said(q, PG_DIAG_STATEMENT_POSITION), *name;
    char block[1000], column[160];
    dbm__text t = dbm__text_in(block, sizeof block);
    dbm_status status = DBM_OK;
    bool class_08 = strncmp(state, "08", 2) == 0, error = strcmp(dbm__pg_or_empty(dbm__pg_said(q, 'V')), "ERROR") == 0; /* a value of the wrong size, a foreign server that is down */
    if (PQstatus(q->conn) == CONNECTION_BAD || strncmp(state, "57P", 3) == 0 || (class_08 && !error)) return dbm__pg_lost(q);
    dbm__pg_words(&t, primary != NULL ? primary : PQresultErrorMessage(q->error));
    if (detail != NULL) {
        dbm__put(&t, ": ");
        dbm__pg_words(&t, detail);
    }
    if (hint != NULL) {
        dbm__put(&t, " (");
        dbm__pg_words(&t, hint);
        dbm__put(&t, ")");
    }
    if (position != NULL) {
        int64_t at = 0;
        for (; *position >= '0' && *position <= '9' && at < INT_MAX; position++) at = at * 10 + (*position - '0');
        if (q->cursor_run) at -= q->prefix;
        if (at > 0) dbm__putf(&t, " at character %l", at);
        if (q->op->kind == DBM_OP_BULK) dbm__putf(&t, " of %s", dbm__pg_copy_select(q->copy));
    }
    if (strcmp(state, "25001") == 0) dbm__put(&t, "; give the session .autocommit = 1");
    if (strcmp(state, "26000") == 0 || strcmp(state, "42P05") == 0) dbm__put(&t, "; behind a pooler of transactions, such as PgBouncer, set statement_cache = 0");
    dbm__text_end(&t);
    if (strcmp(state, "57014") == 0) { /* nobody here asked for it: the server's own time limit did */
        status = dbm__load(&q->cancelled) == 0 && dbm_adapter_config(q->owner)->statement_timeout_ms > 0 ? DBM_E_TIMEOUT : DBM_E_CANCELLED;
    }
    if (class_08) status = DBM_E_SQL;
    status = dbm_adapter_fail(q->c, status, state, 0, block);
    if (q->of_pipeline && dbm__pg_is_stale(state, dbm__pg_said(q, PG_DIAG_SOURCE_FUNCTION))) dbm_adapter_fail_retryable(q->c);
    if (status == DBM_E_CONSTRAINT) {
        name = dbm__pg_said(q, PG_DIAG_CONSTRAINT_NAME);
        if (strcmp(state, "23502") == 0) {
            const char *table = dbm__pg_said(q, PG_DIAG_TABLE_NAME), *field = dbm__pg_said(q, PG_DIAG_COLUMN_NAME);
            dbm__format(column, sizeof column, "%s%s%s", table != NULL ? table : "", table != NULL && field != NULL ? "." : "", field != NULL ? field : "");
            name = column;
        }
        dbm_adapter_fail_constraint(q->c, strcmp(state, "23505") == 0 ? DBM_CONSTRAINT_UNIQUE : strcmp(state, "23502") == 0 ? DBM_CONSTRAINT_NOT_NULL
                                    : strcmp(state, "23503") == 0 ? DBM_CONSTRAINT_FOREIGN_KEY : strcmp(state, "23514") == 0 ? DBM_CONSTRAINT_CHECK
                                    : strcmp(state, "23P01") == 0 ? DBM_CONSTRAINT_EXCLUSION : DBM_CONSTRAINT_OTHER, name);
    }
    return status;
}

static void dbm__pg_noticed(dbm__pg *q, const char *severity, const char *primary, const char *detail) {
    char block[900];
    dbm__text t = dbm__text_in(block, sizeof block);
    if (severity != NULL) dbm__putf(&t, "%s: ", severity);
    dbm__pg_words(&t, primary);
    if (detail != NULL) {
        dbm__put(&t, ": ");
        dbm__pg_words(&t, detail);
    }
    dbm__text_end(&t);
    dbm_adapter_notice(q->c, block);
}

static dbm_status dbm__pg_no_memory(dbm__pg *q) { return dbm_adapter_fail(q->c, DBM_E_NOMEM, NULL, 0, NULL); }

/* ---- lists and blocks -------------------------------------------------------------------------------------------- */

static dbm__pg_item *dbm__pg_add(dbm__pg *q, dbm__pg_list *list, int kind, uint32_t number) {
    dbm__pg_item *item;
    if (list->count == list->capacity) {
        int capacity = list->capacity != 0 ? 2 * list->capacity : 16;
        item = (dbm__pg_item *)dbm_adapter_resize(q->owner, list->at, (size_t)capacity * sizeof *item);
        if (item == NULL) {
            q->no_memory = true;
            return NULL;
        }
        list->at = item;
        list->capacity = capacity;
    }
    item = &list->at[list->count++];
    memset(item, 0, sizeof *item);
    item->kind = (unsigned char)kind;
    item->number = number;
    return item;
}

DBM__FN DBM__NOINLINE bool dbm__pg_grow_to(dbm_database *db, char **block, size_t *size, size_t need) {
    char *more;
    if (need > SIZE_MAX / 4) return false;
    if (need < 2 * *size) need = 2 * *size;
    if (need < 512) need = 512;
    more = (char *)dbm_adapter_resize(db, *block, need);
    if (more == NULL) return false;
    *block = more;
    *size = need;
    return true;
}

/* Large texts are not kept for the next statement. */
static void dbm__pg_room_end(dbm__pg *q) {
    if (DBM__LIKELY(q->block_size <= DBM__PG_BLOCK_KEPT)) return;
    dbm_adapter_free(q->owner, q->block);
    q->block = NULL;
    q->block_size = 0;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

/* Times in the form that PostgreSQL reads for any of its types, microseconds and all: years beyond 9999, and before Christ. */
static char *dbm__pg_put_date(char *at, const dbm__calendar *c) {
    int64_t year = c->year > 0 ? c->year : 1 - c->year, n;
    int digits = 4;
    for (n = year; n > 9999; n /= 10) digits++;
    at = dbm__put_digits(at, 0, year, digits);
    return dbm__put_digits(dbm__put_digits(at, '-', c->month, 2), '-', c->day, 2);
}
static size_t dbm__pg_put_era(char *at, const dbm__calendar *c, const char *from) {
    memcpy(at, c->year > 0 ? "" : " BC", c->year > 0 ? 1 : 4);
    return (size_t)(at - from) + strlen(at);
}

DBM__FN size_t dbm__pg_put_timestamp(char *block, int64_t us) {
    dbm__calendar c;
    char *at;
    dbm__calendar_of(us, &c);
    at = dbm__put_digits(dbm__pg_put_date(block, &c), ' ', c.hour, 2);
    at = dbm__put_digits(dbm__put_digits(at, ':', c.minute, 2), ':', c.second, 2);
    at = dbm__put_digits(at, '.', c.us, 6);
    memcpy(at, "+00", 3);
    return dbm__pg_put_era(at + 3, &c, block);
}

/* Whether the server could take it at all. */
DBM__INLINE dbm_status dbm__pg_check(dbm__pg *q, const dbm_value *v, int i) {
    if (!dbm__is_text(v->type)) return v->type != DBM_TYPE_INVALID ? DBM_OK : dbm__adapter_say(q->c, DBM_E_MISUSE, NULL, 0, "value %d is none", i + 1);
    if (v->as.text.size >= (size_t)INT_MAX / 2) return dbm__adapter_say(q->c, DBM_E_LIMIT, "54000", 0, "value %d has %z bytes; PostgreSQL takes 1 GB", i + 1, v->as.text.size);
    if (v->type == DBM_TYPE_BLOB || v->as.text.size == 0 || memchr(v->as.text.data, 0, v->as.text.size) == NULL) return DBM_OK;
    return dbm__adapter_say(q->c, DBM_E_RANGE, "22021", 0, "value %d is a text with a NUL byte, which PostgreSQL can't store; pass it as dbm_blob", i + 1);
}

/* All values go as text, which the server reads exactly for whatever type it inferred; blobs alone go as they are. true and false are 1
 * and 0, which every type that takes a truth value reads, integers among them. */
static dbm_status dbm__pg_encode(dbm__pg *q, const dbm_op *op) {
    size_t need = op->sql_size + 64;
    char *at;
    int i;
    q->bytes = (size_t)op->value_count * 64;
    if (op->value_count > q->params_capacity) {
        int capacity = op->value_count + 16;
        size_t each = sizeof q->params[0] + sizeof q->lengths[0] + sizeof q->formats[0];
        char *all = (char *)dbm_adapter_resize(q->owner, (void *)q->params, (size_t)capacity * each);
        if (all == NULL) return dbm__pg_no_memory(q);
        q->params = (const char **)(void *)all;
        q->lengths = (int *)(void *)(all + (size_t)capacity * sizeof q->params[0]);
        q->formats = q->lengths + capacity;
        q->params_capacity = capacity;
    }
    need += (size_t)op->value_count * 40;
    for (i = 0; i < op->value_count; i++) {
        const dbm_value *v = &op->values[i];
        dbm_status st;
        if (!dbm__is_text(v->type)) continue;
        st = dbm__pg_check(q, v, i);
        if (DBM__UNLIKELY(st != DBM_OK)) return st;
        q->bytes += v->as.text.size;
        if (DBM__UNLIKELY(q->bytes + op->sql_size >= (size_t)INT_MAX / 2)) return dbm__adapter_say(q->c, DBM_E_LIMIT, "54000", 0, "the values have more than 1 GB, which PostgreSQL takes");
        if (v->type != DBM_TYPE_BLOB) need += v->as.text.size;
    }
    if (!dbm__pg_grow(q->owner, &q->block, &q->block_size, need)) return dbm__pg_no_memory(q);
    at = q->block;
    q->blobs = false;
    for (i = 0; i < op->value_count; i++) {
        const dbm_value *v = &op->values[i];
        dbm__text t;
        int length = 0;
        q->params[i] = at;
        q->formats[i] = 0;
        switch (v->type) {
        case DBM_TYPE_NULL: q->params[i] = NULL; break;
        case DBM_TYPE_INT: { /* from its last digit on */
            uint64_t n = v->as.integer < 0 ? 0 - (uint64_t)v->as.integer : (uint64_t)v->as.integer;
            char *digit = at += 40;
            *--digit = '\0';
            do *--digit = (char)('0' + n % 10);
            while ((n /= 10) != 0);
            if (v->as.integer < 0) *--digit = '-';
            q->params[i] = digit;
            length = (int)(at - digit) - 1;
            break;
        }
        case DBM_TYPE_UINT:
            t = dbm__text_in(at, 40);
            dbm__putf(&t, "%u", v->as.uinteger);
            at += (length = (int)t.size) + 1;
            break;
        case DBM_TYPE_DOUBLE:
            dbm__double_write(v->as.real, at);
            length = (int)strlen(at);
            at += 40;
            break;
        case DBM_TYPE_BOOL:
            q->params[i] = v->as.integer != 0 ? "1" : "0";
            length = 1;
            break;
        case DBM_TYPE_TIMESTAMP:
            at += (length = (int)dbm__pg_put_timestamp(at, v->as.integer)) + 1;
            break;
        case DBM_TYPE_BLOB:
            q->params[i] = v->as.text.size != 0 ? v->as.text.data : "";
            length = (int)v->as.text.size;
            q->formats[i] = 1;
            q->blobs = true;
            break;
        case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
            if (v->as.text.size != 0) memcpy(at, v->as.text.data, v->as.text.size);
            at[v->as.text.size] = '\0';
            at += (length = (int)v->as.text.size) + 1;
            break;
        case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED:
            return dbm__adapter_say(q->c, DBM_E_MISUSE, NULL, 0, "value %d is none", i + 1);
        }
        q->lengths[i] = length;
    }
    q->declare = at;
    q->unasked_bytes += need;
    return DBM_OK;
}

/* ---- messages of ours ----------------------------------------------------------------------------------------------
 * Where bytes are ours to write and to read, which is not so with TLS or GSSAPI. Each writes where there is room already. Source: "Message Formats" of
 * PostgreSQL's protocol. */

static char *dbm__pg_put_name(char *to, const char *name) {
    size_t n = strlen(name) + 1;
    memcpy(to, name, n);
    return to + n;
}

static char *dbm__pg_put_end(char *start, char *to) {
    (void)dbm__pg_to32(start + 1, (uint32_t)(to - start - 1));
    return to;
}

static char *dbm__pg_put_close(char *to, char what, const char *name) {
    char *start = to;
    to[0] = 'C';
    to[5] = what;
    return dbm__pg_put_end(start, dbm__pg_put_name(to + 6, name));
}

static char *dbm__pg_put_execute(char *to, const char *portal, uint32_t rows) {
    char *start = to;
    *to = 'E';
    return dbm__pg_put_end(start, dbm__pg_to32(dbm__pg_put_name(to + 5, portal), rows));
}

static char *dbm__pg_put_bind(const dbm__pg *q, char *to, const char *portal, const char *name, int count, bool binary) {
    char *start = to;
    int i;
    *to = 'B';
    to = dbm__pg_put_name(dbm__pg_put_name(to + 5, portal), name);
    to = dbm__pg_to16(to, count != 0 && q->blobs ? (uint32_t)count : 0);
    if (DBM__UNLIKELY(count != 0 && q->blobs)) for (i = 0; i < count; i++) to = dbm__pg_to16(to, (uint32_t)q->formats[i]);
    to = dbm__pg_to16(to, (uint32_t)count);
    for (i = 0; i < count; i++) to = q->params[i] != NULL ? dbm__pg_to_bytes(to, q->params[i], (size_t)q->lengths[i]) : dbm__pg_to32(to, UINT32_MAX);
    to = dbm__pg_to16(dbm__pg_to16(to, 1), binary);
    return dbm__pg_put_end(start, to);
}

/* Room behind what is not sent yet. NULL: no memory. */
DBM__INLINE char *dbm__pg_out(dbm__pg *q, size_t size) {
    if (q->out_at == q->out_end) {
        q->out_at = q->out_end = 0;
    } else if (DBM__UNLIKELY(q->out_at > DBM__PG_BLOCK_KEPT)) {
        memmove(q->out, q->out + q->out_at, q->out_end - q->out_at);
        q->out_end -= q->out_at;
        q->out_at = 0;
    }
    q->no_memory = q->no_memory || !dbm__pg_grow(q->owner, &q->out, &q->out_size, q->out_end + size);
    return !q->no_memory ? q->out + q->out_end : NULL;
}

/* Of a statement, known to the server by a name. */
static char *dbm__pg_put_parse(char *to, const char *name, const char *sql) {
    char *start = to;
    *to = 'P';
    return dbm__pg_put_end(start, dbm__pg_to16(dbm__pg_put_name(dbm__pg_put_name(to + 5, name), sql), 0));
}

static char *dbm__pg_put_describe(char *to, char what, const char *name) {
    char *end = dbm__pg_put_close(to, what, name);
    *to = 'D';
    return end;
}

static char *dbm__pg_put_word(char *to, char word) { /* Sync, Flush */
    *to = word;
    return dbm__pg_to32(to + 1, 4);
}

/* The program's statement, with the values that dbm__pg_encode left. */
DBM__INLINE char *dbm__pg_put_run(const dbm__pg *q, char *to, const dbm__pg_statement *s, const char *portal, uint32_t rows, bool binary, bool describe) {
    const dbm_op *op = q->op;
    const char *name = q->named_run ? s->name : "";
    if (DBM__UNLIKELY(!q->named_run)) to = dbm__pg_put_parse(to, name, op->sql);
    to = dbm__pg_put_bind(q, to, portal, name, op->value_count, binary);
    if (DBM__UNLIKELY(describe)) to = dbm__pg_put_describe(to, 'P', portal);
    return dbm__pg_put_execute(to, portal, rows);
}

static bool dbm__pg_wrote(dbm__pg *q, const char *to) {
    q->out_end = (size_t)(to - q->out);
    return true;
}

/* As much as the socket takes. Where it takes none any more, what the server has said at last is read. */
static void dbm__pg_lane_send(dbm__pg *q) {
    size_t n;
    dbm_status st = DBM_OK;
    while (q->out_at != q->out_end && st == DBM_OK) {
        st = dbm__net_send(q->fd, q->out + q->out_at, q->out_end - q->out_at, &n);
        q->out_at += n;
    }
    if (DBM__UNLIKELY(st == DBM_E_LOST)) q->out_at = q->out_end;
}

/* 0: all is sent, 1: something is left, -1: it can't be. */
static int dbm__pg_flush(dbm__pg *q) {
    if (!q->ours) return PQflush(q->conn);
    dbm__pg_lane_send(q);
    return q->out_at != q->out_end;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static bool dbm__pg_text_command(dbm__pg *q, const char *sql) {
    if (q->ours) return dbm__pg_wrote(q, dbm__pg_put_execute(dbm__pg_put_bind(q, dbm__pg_put_parse(q->out + q->out_end, "", sql), "", "", 0, false), "", 0));
    if (!q->piped) return PQsendQuery(q->conn, sql) == 1; /* one message where the pipeline needs four */
    return PQsendQueryParams(q->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

/* A statement of the program's. */
static bool dbm__pg_send_run(dbm__pg *q, const dbm__pg_statement *s, bool binary, bool describe) {
    const dbm_op *op = q->op;
    if (q->ours) return dbm__pg_wrote(q, dbm__pg_put_run(q, q->out + q->out_end, s, "", 0, binary, describe));
    if (!q->named_run) return PQsendQueryParams(q->conn, op->sql, op->value_count, NULL, q->params, q->lengths, q->formats, 0) == 1;
    return PQsendQueryPrepared(q->conn, s->name, op->value_count, q->params, q->lengths, q->blobs ? q->formats : NULL, binary) == 1;
}

/* What a session counts on, whatever the server's or the role's defaults are: looked at once, after the connect. */
static void dbm__pg_look_at_settings(dbm__pg *q) {
    const char *style = PQparameterStatus(q->conn, "DateStyle"), *interval = PQparameterStatus(q->conn, "IntervalStyle");
    const char *zone = PQparameterStatus(q->conn, "TimeZone");
    q->set_style = style != NULL && strncmp(style, "ISO", 3) != 0;
    q->set_interval = interval != NULL && strcmp(interval, "postgres") != 0;
    q->set_zone = !q->base->own_zone && zone != NULL && strcmp(zone, "UTC") != 0 && strcmp(zone, "Etc/UTC") != 0;
    /* Behind ours, so that it is the client that ends a statement while it lives. Not behind a pooler, where it would be another client's. */
    q->set_limit = dbm_adapter_config(q->owner)->statement_timeout_ms > 0 && q->base->cached;
    q->setup = q->set_style || q->set_interval || q->set_zone || q->set_limit;
}

static void dbm__pg_settings(const dbm__pg *q, dbm__text *t) {
    int ms = dbm_adapter_config(q->owner)->statement_timeout_ms;
    dbm__put(t, "SELECT 1");
    if (q->set_style) dbm__put(t, ", set_config('DateStyle', 'ISO', false)");
    if (q->set_interval) dbm__put(t, ", set_config('IntervalStyle', 'postgres', false)");
    if (q->set_zone) dbm__put(t, ", set_config('TimeZone', 'UTC', false)");
    if (q->set_limit) dbm__putf(t, ", set_config('statement_timeout', '%d', false)", ms < INT_MAX - 250 ? ms + 250 : ms);
}

static bool dbm__pg_emit_init(dbm__pg *q, uint32_t number) {
    const char *sql = dbm_adapter_config(q->owner)->init_sql;
    size_t size = strlen(sql) - number, next = 0, length = dbm__sql_statement_end(sql + number, size, DBM__PG_LEXER, &next);
    if ((q->no_memory = !dbm__pg_grow(q->owner, &q->block, &q->block_size, length + 1))) return false;
    memcpy(q->block, sql + number, length);
    q->block[length] = '\0';
    return dbm__pg_text_command(q, q->block);
}

static void dbm__pg_put_begin(dbm__text *t, uint32_t number) {
    static const char *const levels[] = { "", "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "", "", "" };
    dbm__putf(t, "BEGIN%s%s%s", (number & 7u) != 0 ? " ISOLATION LEVEL " : "", levels[number & 7u], (number & 8u) != 0 ? " READ ONLY" : "");
}

static bool dbm__pg_each_emit(dbm__pg *q, uint32_t row);

static bool dbm__pg_emit(dbm__pg *q, const dbm__pg_item *item) {
    char block[400];
    dbm__text t = dbm__text_in(block, sizeof block);
    dbm__pg_statement *s = q->main;
    const dbm_op *op = q->op;
    if (q->ours && dbm__pg_out(q, op->sql_size + q->bytes + 512) == NULL) return false; /* for any of them */
    switch (item->kind) {
    case DBM__PG_BEGIN:
        dbm__pg_put_begin(&t, item->number);
        break;
    case DBM__PG_SAVEPOINT: dbm__putf(&t, "SAVEPOINT dbm_%u", (uint64_t)item->number); break;
    case DBM__PG_RELEASE: dbm__putf(&t, "RELEASE SAVEPOINT dbm_%u", (uint64_t)item->number); break;
    case DBM__PG_ROLLBACK_TO: dbm__putf(&t, "ROLLBACK TO SAVEPOINT dbm_%u", (uint64_t)item->number); break;
    case DBM__PG_CLOSE: dbm__putf(&t, "CLOSE dbm_c%u", (uint64_t)item->number); break;
    case DBM__PG_DEALLOCATE: dbm__putf(&t, "DEALLOCATE dbm_%u_%u", (uint64_t)q->salt, (uint64_t)item->number); break;
    case DBM__PG_COMMIT: dbm__put(&t, "COMMIT"); break;
    case DBM__PG_ROLLBACK: dbm__put(&t, "ROLLBACK"); break;
    case DBM__PG_PING: dbm__put(&t, "SELECT 1"); break;
    case DBM__PG_DISCARD: dbm__put(&t, "DISCARD ALL"); break;
    case DBM__PG_SET: dbm__pg_settings(q, &t); break;
    case DBM__PG_INIT: return dbm__pg_emit_init(q, item->number);
    case DBM__PG_PARSE: return PQsendPrepare(q->conn, "", q->each != NULL ? op->bulk->sql : dbm__pg_copy_select(q->copy), 0, NULL) == 1;
    case DBM__PG_ROW_OF_BULK: return dbm__pg_each_emit(q, item->number);
    case DBM__PG_DESCRIBE: return PQsendDescribePrepared(q->conn, "") == 1;
    /* By the simple protocol: a Sync that rides with a COPY may be answered twice when it fails at once. */
    case DBM__PG_COPY: return PQsendQuery(q->conn, dbm__pg_copy_command(q->copy)) == 1;
    case DBM__PG_PREPARE:
        if (q->ours) return dbm__pg_wrote(q, dbm__pg_put_parse(q->out + q->out_end, item->s->name, op->sql));
        return PQsendPrepare(q->conn, item->s->name, op->sql, 0, NULL) == 1;
    case DBM__PG_RUN: return dbm__pg_send_run(q, s, s->kept && s->binary, false);
    case DBM__PG_SENT: {
        bool known;
        s = item->s->of != NULL ? item->s->of : item->s;
        known = q->named_run && s->known;
        return dbm__pg_send_run(q, s, item->s->of != NULL && item->s->binary_rows, !known && (item->s->of != NULL || (s->inserts && (item->number & DBM__PG_HAS_ROWS) != 0)));
    }
    case DBM__PG_DECLARE:
        t = dbm__text_in(q->declare, op->sql_size + 64);
        dbm__putf(&t, "DECLARE dbm_c%u NO SCROLL CURSOR FOR ", (uint64_t)s->cursor);
        q->prefix = (int)t.size;
        dbm__put_n(&t, op->sql, op->sql_size);
        return PQsendQueryParams(q->conn, q->declare, op->value_count, NULL, q->params, q->lengths, q->formats, 0) == 1;
    case DBM__PG_FETCH:
        dbm__putf(&t, "FETCH %u FROM dbm_c%u", (uint64_t)item->number, (uint64_t)s->cursor);
        return PQsendQueryParams(q->conn, block, 0, NULL, NULL, NULL, NULL, s->next_binary) == 1;
    case DBM__PG_SYNC:
        q->unsynced = false;
        q->unasked = 0;
        q->unasked_bytes = 0;
        if (q->ours) return dbm__pg_wrote(q, dbm__pg_put_word(q->out + q->out_end, 'S'));
#if DBM__PG_PIPELINE
        return PQpipelineSync(q->conn) == 1;
#else
        return true;
#endif
    default: return true;
    }
    return dbm__pg_text_command(q, block);
}

/* Sends what is in the list: all of it, or without a pipeline the command at the head. False: it can't be sent. */
static bool dbm__pg_send(dbm__pg *q) {
    while (q->emitted < q->sent.count) {
        if (!q->piped && !q->ours) {
            if (q->sent.at[q->emitted].kind == DBM__PG_SYNC) {
                q->emitted++;
                continue;
            }
            if (q->emitted > q->sent.head || q->skipping) break;
        }
        if (!dbm__pg_emit(q, &q->sent.at[q->emitted])) return false;
        q->emitted++;
    }
    return true;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void dbm__pg_texts_drop(dbm__pg_statement *s) {
    int i;
    for (i = 0; i < s->texts_count; i++) {
        dbm_adapter_free(s->q->owner, s->texts[i].owned);
        s->texts[i].owned = NULL;
    }
}

/* Another row is in hand. */
DBM__INLINE void dbm__pg_row_moves(dbm__pg_statement *s) {
    s->serial++;
    if (DBM__UNLIKELY(s->texts != NULL)) dbm__pg_texts_drop(s);
    if (s->cells == NULL) return;
    s->cells = NULL;
    s->now = NULL;
    if (DBM__UNLIKELY(s->copied.data != NULL)) {
        PQfreemem((void *)(uintptr_t)s->copied.data);
        s->copied.data = NULL;
    }
    if (DBM__UNLIKELY(s->pinned != NULL)) {
        dbm_adapter_free(s->q->owner, s->pinned);
        s->pinned = NULL;
    }
}

/* Room for what is kept of each column. */
static bool dbm__pg_columns_room(dbm__pg *q, dbm__pg_statement *s, int columns) {
    dbm__pg_cell *block;
    if (columns <= s->types_capacity) return true;
    block = (dbm__pg_cell *)dbm_adapter_resize(q->owner, s->block, (size_t)columns * (2 * sizeof *block + sizeof *s->types));
    if (block == NULL) {
        q->no_memory = true;
        return false;
    }
    s->block = block;
    s->types = (Oid *)(void *)(block + 2 * (size_t)columns);
    s->types_capacity = columns;
    return true;
}

/* Puts a row aside. */
static bool dbm__pg_keep(dbm__pg *q, dbm__pg_statement *s, const dbm__pg_cell *cells, int columns) {
    size_t size = sizeof(dbm__pg_held) + (size_t)columns * sizeof *cells;
    dbm__pg_held *held;
    dbm_status status;
    char *at;
    int i;
    for (i = 0; i < columns; i++) size += (size_t)(cells[i].size > 0 ? cells[i].size : 0) + 1;
    held = (dbm__pg_held *)dbm__aside_room(q->owner, &s->aside, &q->spare_chunk, size, s->of != NULL ? s->limit : q->op->row_buffer, &status);
    if (held == NULL) {
        q->full = status == DBM_E_LIMIT;
        q->no_memory = status != DBM_E_LIMIT;
        return false;
    }
    held->next = NULL;
    at = (char *)(held->cells + columns + 1);
    for (i = 0; i < columns; i++) {
        int bytes = cells[i].size > 0 ? cells[i].size : 0;
        held->cells[i].data = at;
        held->cells[i].size = cells[i].size;
        if (bytes != 0) memcpy(at, cells[i].data, (size_t)bytes);
        at[bytes] = '\0';
        at += bytes + 1;
    }
    if (s->last_held != NULL) s->last_held->next = held;
    else s->held = held;
    s->last_held = held;
    return true;
}

/* The same of a result's only row. */
static bool dbm__pg_keep_result(dbm__pg *q, dbm__pg_statement *s, const PGresult *res) {
    int i, columns = PQnfields(res);
    dbm__pg_cell *cells;
    if (!dbm__pg_columns_room(q, s, columns)) return false;
    cells = s->block + s->types_capacity;
    for (i = 0; i < columns; i++) {
        cells[i].data = PQgetvalue(res, 0, i);
        cells[i].size = PQgetisnull(res, 0, i) ? -1 : PQgetlength(res, 0, i);
    }
    return dbm__pg_keep(q, s, cells, columns);
}

static int64_t dbm__pg_read_int(const char *text) {
    bool minus = *text == '-';
    uint64_t n = 0;
    if (minus) text++;
    for (; *text >= '0' && *text <= '9'; text++) n = n * 10 + (uint64_t)(*text - '0');
    return (int64_t)(minus ? 0 - n : n);
}

static int64_t dbm__pg_count(PGresult *res) { return PQcmdTuples(res)[0] != '\0' ? dbm__pg_read_int(PQcmdTuples(res)) : -1; }

/* Statements of the server's that are gone. */
static void dbm__pg_forget(dbm__pg *q) {
    q->age++;
    q->begins = 0;
    q->drops.count = q->drops.head = 0;
}

DBM__INLINE void dbm__pg_res(dbm__pg_statement *s, PGresult *res) {
    if (s->res != NULL) PQclear(s->res);
    s->res = res;
}

/* The server keeps the types of a statement's parameters though the table be another one by now, and does not tell. What others change is found when a
 * value does not fit any more; what this connection changes, search_path among it, is counted as it is said, for more may be sent before the answer. */
static dbm__word dbm__pg_names(const dbm__pg *q) { return dbm__load(&q->base->schema) + q->moves; }
static void dbm__pg_moved(dbm__pg *q) {
    q->moves++;
    q->moved = q->tx != DBM__PG_TX_NONE; /* and back when that is undone */
}
static void dbm__pg_schema_changed(dbm__pg *q) {
    dbm__add(&q->base->schema, 1);
    q->ddl = q->tx != DBM__PG_TX_NONE; /* others see it when that ends */
}

DBM__INLINE void dbm__pg_look_at_tag(dbm__pg *q, const char *tag) {
    if (DBM__UNLIKELY((tag[0] == 'D' && tag[1] != 'E') || (tag[0] == 'A' && tag[1] == 'L') || (tag[0] == 'C' && tag[1] == 'A'))) dbm__pg_schema_changed(q);
    if (DBM__UNLIKELY(tag[0] == 'D' && (strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0))) dbm__pg_forget(q);
}

/* A statement without rows has run. */
static int64_t dbm__pg_ran(dbm__pg *q, PGresult *res) {
    dbm__pg_look_at_tag(q, PQcmdStatus(res));
    return dbm__pg_count(res);
}

/* The statement of that name is not used again. */
static void dbm__pg_unkeep(dbm__pg *q, dbm__pg_statement *s, bool there) {
    if (there) {
        dbm__pg_add(q, &q->drops, DBM__PG_DEALLOCATE, s->id);
        q->no_memory = false;
    }
    s->kept = false;
}

/* What the columns are, and whether all can be read in binary. */
static bool dbm__pg_look_at_types(dbm__pg *q, dbm__pg_statement *s, const PGresult *res, bool *binary) {
    int i;
    s->columns = PQnfields(res);
    if (!dbm__pg_columns_room(q, s, s->columns)) return false;
    *binary = true;
    for (i = 0; i < s->columns; i++) {
        s->types[i] = PQftype(res, i);
        *binary = *binary && dbm__pg_in_binary(s->types[i]);
    }
    return true;
}

/* Takes the description of a statement that the server keeps. */
static void dbm__pg_about_drop(dbm__pg_statement *s) {
    if (s->about != NULL && --s->about->uses == 0) {
        PQclear(s->about->res);
        dbm_adapter_free(s->q->owner, s->about);
    }
    s->about = NULL;
}
static bool dbm__pg_learned(dbm__pg_statement *s, PGresult *res) {
    dbm__pg_about_drop(s);
    s->about = res != NULL ? (dbm__pg_about *)dbm_adapter_alloc(s->q->owner, sizeof *s->about) : NULL;
    if (s->about == NULL) {
        PQclear(res);
        return false;
    }
    s->about->res = res;
    s->about->uses = 1;
    return s->columns > 0;
}

/* What one of the pipeline has done: its rows are dropped, but for the key that may be in the first of them; and how it ended. -1: that can't be told. */
static void dbm__pg_sent_row(dbm__pg *q, dbm__pg_item *item, Oid type, const char *data, int size) {
    char number[24];
    if ((item->number & DBM__PG_SEEN) == 0 && item->s->inserts) {
        q->sent_last_id = DBM_LAST_ID_UNKNOWN;
        if (size > 0 && size < (int)sizeof number && (type == DBM__PG_INT4 || type == DBM__PG_INT8 || type == DBM__PG_INT2 || type == DBM__PG_OID)) {
            memcpy(number, data, (size_t)size);
            number[size] = '\0';
            q->sent_last_id = dbm__pg_read_int(number);
        }
    }
    item->number |= DBM__PG_SEEN;
}
static void dbm__pg_sent_done(dbm__pg *q, const dbm__pg_item *item, int64_t n) {
    if (item->s->of != NULL) item->s->affected = n;
    else if ((item->number & DBM__PG_WRITES) != 0 && n >= 0) q->sent_affected = n;
    if (item->s->of == NULL && item->s->inserts && (item->number & DBM__PG_SEEN) == 0) q->sent_last_id = n == 0 ? 0 : DBM_LAST_ID_UNKNOWN;
}

/* The rows of a command. Takes `res`. True: the one in hand is what was waited for. */
static bool dbm__pg_rows(dbm__pg *q, dbm__pg_statement *s, int mode, int64_t *affected, PGresult *res, ExecStatusType status) {
    int n = PQntuples(res);
    if (status == PGRES_SINGLE_TUPLE) {
        s->total++;
        if (mode == DBM__PG_TAKE || (mode == DBM__PG_FIRST && s->total == 1) || (mode == DBM__PG_KEEP && s->res == NULL)) {
            if (mode == DBM__PG_TAKE) dbm__pg_row_moves(s);
            dbm__pg_res(s, res);
            s->row = 0;
            s->rows = 1;
            s->binary_rows = PQbinaryTuples(res) != 0;
            return mode == DBM__PG_TAKE;
        }
        if (mode == DBM__PG_KEEP && !dbm__pg_keep_result(q, s, res)) {
            PQclear(res);
            return true;
        }
        q->dropped++;
        PQclear(res);
        return false;
    }
    /* The end of rows that came singly, or all of them at once. */
    if (s->res == NULL || n > 0) {
        s->total += n;
        dbm__pg_row_moves(s);
        dbm__pg_res(s, res);
        s->row = 0;
        s->rows = n;
        s->binary_rows = PQbinaryTuples(res) != 0;
    } else if (s->cursor != 0 && mode == DBM__PG_TAKE) { /* an empty FETCH: the row in hand is gone */
        dbm__pg_row_moves(s);
        s->row = s->rows = 0;
        PQclear(res);
        return false;
    } else {
        *affected = dbm__pg_count(res);
        PQclear(res);
        return false;
    }
    *affected = dbm__pg_count(s->res);
    return false;
}

/* COPY's answer in place of rows: they have one column, and what they are is for the program to say. Takes `res`. */
static void dbm__pg_copy_out(dbm__pg *q, PGresult *res) {
    static char name[] = "data";
    PGresAttDesc column;
    memset(&column, 0, sizeof column);
    column.name = name;
    column.typid = DBM__PG_BYTEA;
    column.format = 1;
    column.typlen = -1;
    PQclear(res);
    res = PQmakeEmptyPGresult(q->conn, PGRES_TUPLES_OK);
    if (res == NULL || !PQsetResultAttrs(res, 1, &column)) q->no_memory = true; /* the rows are dropped */
    dbm__pg_res(q->main, res);
    q->main->binary_rows = q->main->copying = true;
}

/* Reads what COPY sends, row by row. DBM__PG_ALL: the outcome is next. */
static int dbm__pg_copy_rows(dbm__pg *q) {
    dbm__pg_statement *s = q->main;
    for (;;) {
        char *data = NULL;
        int n = PQgetCopyData(q->conn, &data, 1);
        if (n == 0) return DBM__PG_WAITS;
        if (n < 0) { /* its end, or a failure that is the next result */
            s->copying = false;
            return DBM__PG_ALL;
        }
        s->total++;
        if (q->no_memory) q->mode = DBM__PG_DROP;
        if (q->mode == DBM__PG_TAKE || (q->mode == DBM__PG_FIRST && s->total == 1) || (q->mode == DBM__PG_KEEP && s->rows == 0)) {
            dbm__pg_row_moves(s);
            s->copied.data = data;
            s->copied.size = n;
            s->cells = &s->copied;
            s->row = 0;
            s->rows = 1;
            if (q->mode == DBM__PG_TAKE) return DBM__PG_ROW;
            continue;
        }
        if (q->mode == DBM__PG_KEEP) {
            dbm__pg_cell cell;
            cell.data = data;
            cell.size = n;
            if (!dbm__pg_keep(q, s, &cell, 1)) {
                PQfreemem(data);
                return DBM__PG_ROW;
            }
        }
        if (q->mode != DBM__PG_KEEP) q->dropped++;
        PQfreemem(data);
    }
}

DBM__INLINE void dbm__pg_result_begin(dbm__pg_statement *s) {
    s->row = s->rows = 0;
    s->live = s->ended = s->binary_rows = s->next_binary = s->lost = s->looped = s->copying = false;
    s->total = s->fetched = 0;
}

static void dbm__pg_rows_free(dbm__pg *q, dbm__pg_statement *s) {
    s->held = s->last_held = NULL;
    dbm__aside_drop(q->owner, &s->aside, &q->spare_chunk);
    dbm__pg_res(s, NULL);
    if (s->texts != NULL) {
        dbm_adapter_free(q->owner, s->texts);
        s->texts = NULL;
        s->texts_count = 0;
    }
}

/* Whether the SYNC at the head is that of one which stands alone. */
static bool dbm__pg_sent_alone(const dbm__pg *q) {
    const dbm__pg_item *before = q->sent.head > 0 ? q->sent.at + q->sent.head - 1 : NULL;
    return before != NULL && before->kind == DBM__PG_SENT && (before->number & DBM__PG_ALONE) != 0;
}

static void dbm__pg_sent_over(dbm__pg *q, dbm__pg_statement *s) {
    q->unanswered--;
    if (DBM__LIKELY(s->of == NULL)) {
        if (!dbm__pg_sent_failed(q)) q->answered++;
        return;
    }
    q->replies--;
    if (q->ready == NULL) q->ready = s;
    else q->last_ready->next_cursor = s;
    q->last_ready = s;
}

/* A place for the result of `s`: one that was used, with its blocks, or a new one. NULL: no memory. */
static dbm__pg_statement *dbm__pg_reply_make(dbm__pg *q, dbm__pg_statement *s, const dbm_op *op) {
    dbm__pg_statement *r = q->spare;
    if (r == NULL) {
        r = (dbm__pg_statement *)dbm_adapter_alloc(q->owner, sizeof *r);
        if (r == NULL) return NULL;
        memset(r, 0, sizeof *r);
        r->q = q;
    } else {
        q->spare = r->next_cursor;
    }
    dbm__pg_result_begin(r);
    r->in.row = r->in.end = 0;
    r->next_cursor = NULL;
    r->of = s;
    r->inserts = s->inserts;
    r->ended = true;
    r->first_only = op->one_row;
    r->writes = op->prepared->writes;
    r->undone = false;
    r->wrong = DBM_OK;
    r->affected = -1;
    r->limit = op->row_buffer;
    return r;
}

/* It is done with. As many as have been in use at a time are kept. */
static void dbm__pg_reply_free(dbm__pg *q, dbm__pg_statement *r) {
    dbm__pg_row_moves(r);
    dbm__pg_rows_free(q, r);
    dbm__pg_about_drop(r);
    PQclear(r->error);
    dbm_adapter_free(q->owner, r->fault);
    r->error = NULL;
    r->fault = NULL;
    if (r->in.size > 4096) {
        dbm_adapter_free(q->owner, r->in.data);
        memset(&r->in, 0, sizeof r->in);
    }
    r->next_cursor = q->spare;
    q->spare = r;
}

static void dbm__pg_replies_drop(dbm__pg *q) {
    while (q->ready != NULL) {
        dbm__pg_statement *r = q->ready;
        q->ready = r->next_cursor;
        dbm__pg_reply_free(q, r);
    }
}

/* Rows that came through libpq. Takes `res`. */
static void dbm__pg_reply_rows(dbm__pg *q, dbm__pg_statement *r, PGresult *res, ExecStatusType status) {
    if (r->wrong == DBM_OK) (void)dbm__pg_rows(q, r, r->first_only ? DBM__PG_FIRST : DBM__PG_KEEP, &r->affected, res, status);
    else PQclear(res);
    if (q->full || q->no_memory) r->wrong = q->full ? DBM_E_LIMIT : DBM_E_NOMEM;
    q->full = q->no_memory = false;
}

/* Whose failure it is: what goes before one of the pipeline fails for it. NULL: the operation's own. */
static const dbm__pg_item *dbm__pg_failed_for(const dbm__pg *q, const dbm__pg_item *item) {
    const dbm__pg_item *end = q->sent.at + q->sent.count;
    if (item->kind == DBM__PG_SYNC) return dbm__pg_sent_alone(q) ? item - 1 : NULL;
    while (item < end && item->kind != DBM__PG_SENT && item->kind != DBM__PG_SYNC) item++;
    return item < end && item->kind == DBM__PG_SENT ? item : NULL;
}

/* What its failure says of statements that the server keeps: the plan is no longer good; or it fits the table of another day, and one whose result
 * is to be received may be done again without it. */
static void dbm__pg_failed_before(dbm__pg *q, const dbm__pg_item *item, const char *state, const char *where) {
    dbm__pg_statement *s = item->s;
    bool stale, misfit;
    if (item->kind == DBM__PG_PREPARE) s->kept = false;
    if (item->kind != DBM__PG_SENT || state == NULL) return;
    if (s->of != NULL) s = s->of;
    stale = dbm__pg_is_stale(state, where);
    misfit = s != item->s && (item->number & (DBM__PG_NAMED | DBM__PG_BOUND)) == DBM__PG_NAMED && (strncmp(state, "22", 2) == 0 || strncmp(state, "42", 2) == 0);
    if ((stale || misfit) && s->kept) dbm__pg_unkeep(q, s, strcmp(state, "26000") != 0);
    if (s != item->s) item->s->undone = stale || misfit;
}

/* The connection dies or fails where nobody waits: whoever uses it next hears of it. */
static void dbm__pg_failed_item(dbm__pg *q, const dbm__pg_item *item, PGresult *res) {
    const dbm__pg_item *about;
    PGresult **to;
    if (item->silent) {
        if (item->kind != DBM__PG_COMMIT) q->poisoned = true; /* a reset; a COMMIT of what only read has nothing to lose */
        PQclear(res);
        return;
    }
    dbm__pg_failed_before(q, item, PQresultErrorField(res, PG_DIAG_SQLSTATE), PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION));
    about = dbm__pg_failed_for(q, item);
    to = about == NULL ? &q->error : about->s->of != NULL ? &about->s->error : &q->sent_error;
    if (*to == NULL) *to = res;
    else PQclear(res);
}

/* Takes one result of the command at the head. True: a row to be handed out is there. */
static bool dbm__pg_answer(dbm__pg *q, dbm__pg_item *item, PGresult *res) {
    ExecStatusType status = PQresultStatus(res);
    switch ((int)status) {
    case PGRES_TUPLES_OK: case PGRES_SINGLE_TUPLE:
        if ((item->kind == DBM__PG_RUN || item->kind == DBM__PG_FETCH) && q->main != NULL) return dbm__pg_rows(q, q->main, q->mode, &q->affected, res, status);
        if (item->kind == DBM__PG_SENT && item->s->of != NULL) {
            dbm__pg_reply_rows(q, item->s, res, status);
            return false;
        }
        if (item->kind == DBM__PG_SENT) {
            if (PQntuples(res) > 0) dbm__pg_sent_row(q, item, PQftype(res, 0), PQgetvalue(res, 0, 0), PQgetlength(res, 0, 0));
            if (status == PGRES_TUPLES_OK) dbm__pg_sent_done(q, item, dbm__pg_count(res));
        }
        break;
    case PGRES_COMMAND_OK: case PGRES_EMPTY_QUERY:
        if (item->kind == DBM__PG_BEGIN) q->tx = DBM__PG_TX_OPEN;
        if (item->kind == DBM__PG_PREPARE) item->s->kept = true;
        if (item->kind == DBM__PG_SENT) dbm__pg_sent_done(q, item, dbm__pg_ran(q, res));
        if (item->kind == DBM__PG_RUN) q->affected = dbm__pg_ran(q, res);
        if (item->kind == DBM__PG_ROW_OF_BULK && dbm__pg_count(res) > 0) q->each->flown += dbm__pg_count(res);
        if (item->kind == DBM__PG_COPY) q->affected = dbm__pg_count(res);
        if (item->kind == DBM__PG_DESCRIBE) {
            if (!dbm__pg_copy_described(q->copy, q->settings_moved ? NULL : q->conn, res)) q->no_memory = true;
            return false;
        }
        if (item->kind == DBM__PG_COMMIT && !item->silent && strcmp(PQcmdStatus(res), "ROLLBACK") == 0) q->outcome = DBM_E_ROLLED_BACK;
        if (item->kind == DBM__PG_DISCARD) {
            dbm__pg_forget(q);
            q->lane_on = q->lane_can;
        }
        break;
    case PGRES_COPY_IN: case PGRES_COPY_OUT: case PGRES_COPY_BOTH:
        if (item->kind == DBM__PG_COPY && status == PGRES_COPY_IN) {
            PQclear(res);
            q->copying = true;
            return true;
        }
        if (item->kind == DBM__PG_RUN && status == PGRES_COPY_OUT && q->main->copies_out) {
            dbm__pg_copy_out(q, res);
            return false;
        }
        q->outcome = DBM_E_UNSUPPORTED; /* one that was not seen to be one: nothing can follow it */
        dbm_adapter_broken(q->c);
        PQclear(res);
        return true;
    case PGRES_FATAL_ERROR: case PGRES_BAD_RESPONSE: case PGRES_NONFATAL_ERROR:
        if (!q->piped) q->skipping = true;
        if (item->kind == DBM__PG_ROW_OF_BULK && q->each->failed < 0) q->each->failed = (int)item->number;
        dbm__pg_failed_item(q, item, res);
        return false;
#if DBM__PG_PIPELINE
    case PGRES_PIPELINE_ABORTED: /* what only rode along is sent again with the next one */
        if (item->kind == DBM__PG_DEALLOCATE) dbm__pg_add(q, &q->drops, DBM__PG_DEALLOCATE, item->number);
        if (item->kind == DBM__PG_PREPARE) item->s->kept = false;
        if (item->kind == DBM__PG_SENT && item->s->of != NULL && item->s->error == NULL) item->s->undone = true;
        break;
#endif
    default: break;
    }
    PQclear(res);
    return false;
}

/* False: libpq is in the midst of something. */
static bool dbm__pg_look_at_transaction(dbm__pg *q) {
    PGTransactionStatusType status = PQtransactionStatus(q->conn);
    if (status == PQTRANS_ACTIVE || status == PQTRANS_UNKNOWN) return false;
    if (status != PQTRANS_IDLE) q->tx = DBM__PG_TX_OPEN;
    else if (q->tx == DBM__PG_TX_OPEN) q->tx = DBM__PG_TX_NONE;
    q->failed_tx = status == PQTRANS_INERROR;
    return true;
}

static void dbm__pg_sync_done(dbm__pg *q) {
    q->skipping = false;
    if (q->sent.head != q->sent.count) return;
    q->sent.head = q->sent.count = q->emitted = 0;
    q->laned = false;
    (void)dbm__pg_look_at_transaction(q);
}

static int dbm__pg_lane_read(dbm__pg *q, dbm__pg_in *in);

/* Reads answers, in the order of the list, as far as they have come. */
static int dbm__pg_answers(dbm__pg *q) {
    if (q->ours) return q->fresh ? DBM__PG_WAITS : dbm__pg_lane_read(q, &q->in);
    while (q->sent.head < q->sent.count) {
        dbm__pg_item *item = &q->sent.at[q->sent.head];
        PGresult *res;
        if (!q->piped && (item->kind == DBM__PG_SYNC || (q->skipping && q->emitted == q->sent.head))) {
            bool sync = item->kind == DBM__PG_SYNC;
            if (!sync && item->kind == DBM__PG_DEALLOCATE) dbm__pg_add(q, &q->drops, DBM__PG_DEALLOCATE, item->number);
            q->sent.head++;
            if (q->emitted < q->sent.head) q->emitted = q->sent.head;
            q->armed = false;
            if (sync) dbm__pg_sync_done(q);
            continue;
        }
        if (!q->piped && q->emitted == q->sent.head) {
            if (!dbm__pg_send(q)) return DBM__PG_DEAD;
            if (PQflush(q->conn) < 0) return DBM__PG_DEAD;
        }
        if (!q->armed && (item->kind == DBM__PG_RUN || (item->kind == DBM__PG_FETCH && item->number > DBM__PG_FIRST_ROWS) || (item->kind == DBM__PG_SENT && (item->number & DBM__PG_HAS_ROWS) != 0))) {
            if (item->kind != DBM__PG_SENT && q->fresh) return DBM__PG_WAITS; /* how its rows come is said when the first of them are there */
            q->armed = true;
            (void)PQsetSingleRowMode(q->conn);
        }
        if (DBM__UNLIKELY(item->kind == DBM__PG_RUN && q->main != NULL && q->main->copying)) {
            int how = dbm__pg_copy_rows(q);
            if (how != DBM__PG_ALL) return how;
        }
        if (PQisBusy(q->conn)) return PQstatus(q->conn) == CONNECTION_BAD ? DBM__PG_DEAD : DBM__PG_WAITS;
        res = PQgetResult(q->conn);
        if (res == NULL) {
            if (PQstatus(q->conn) == CONNECTION_BAD) return DBM__PG_DEAD;
            if (item->kind == DBM__PG_SYNC) { /* behind an error of what is done at the very end: deferred constraints */
                if (q->armed) return DBM__PG_DEAD; /* twice: libpq and we are out of step */
                q->armed = true;
                continue;
            }
            if (item->kind == DBM__PG_SENT && (item->number & DBM__PG_ALONE) == 0) dbm__pg_sent_over(q, item->s);
            q->sent.head++;
            q->armed = false;
            continue;
        }
#if DBM__PG_PIPELINE
        if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            if (dbm__pg_sent_alone(q)) dbm__pg_sent_over(q, item[-1].s);
            q->sent.head++;
            q->armed = false;
            dbm__pg_sync_done(q);
            continue;
        }
#endif
        if (dbm__pg_answer(q, item, res)) return DBM__PG_ROW;
        if (PQstatus(q->conn) == CONNECTION_BAD) return DBM__PG_DEAD;
    }
    q->sent.head = q->sent.count = q->emitted = 0;
    return DBM__PG_ALL;
}

/* ---- the short way -------------------------------------------------------------------------------------------------
 * A statement that the server has, with its BEGIN, and COMMIT and ROLLBACK go past libpq, whose results and modes would cost more than all the rest: the
 * messages are written here, and rows are read where they have come, in constant memory. libpq stays as it was, idle, and sees no byte of it. Not where bytes are
 * not ours to read, with TLS or GSSAPI; nor after LISTEN, where libpq may hold a part of what came unasked. Source: "Message Flow" and "Message
 * Formats" of PostgreSQL's protocol. */

/* What was written up to `to` goes out, and will be answered. */
static void dbm__pg_lane_go(dbm__pg *q, char *to, bool gather) {
    dbm_op *op = q->op;
    (void)dbm__pg_wrote(q, to);
    q->unsynced = false;
    q->unasked = 0;
    q->awaited++;
    q->lane = q->laned = true;
    q->closing = false;
    q->gather = gather;
    if (q->in.at == q->in.end) q->in.row = q->in.at = q->in.end = 0;
    q->in.keep = 0;
    dbm__pg_lane_send(q);
    if (DBM__UNLIKELY(q->out_at != q->out_end)) return;
    op->fd = q->fd;
    op->started = true;
    q->fresh = false;
}

/* The next row, taken apart. Behind a cell stands the length of the next one, which is read by then, so that a NUL fits; the last one makes
 * room for it. */
static void dbm__pg_lane_row(dbm__pg_statement *s, dbm__pg_cell *cells) {
    char *at = s->in.data + s->in.row, *end, *last = NULL;
    int i, n;
    DBM_ASSERT(at != NULL);
    while (at[0] != 'D') at += dbm__pg_get32(at + 1) + 1;
    end = at + dbm__pg_get32(at + 1) + 1;
    s->in.row = (size_t)(end - s->in.data);
    n = (unsigned char)at[5] << 8 | (unsigned char)at[6];
    at += 7;
    if (n > s->columns) n = s->columns;
    for (i = 0; i < n && end - at >= 4; i++) {
        uint32_t size = dbm__pg_get32(at);
        if (last != NULL) *last = '\0';
        last = NULL;
        cells[i].size = -1;
        at += 4;
        if (size > INT_MAX || (int64_t)size > end - at) continue; /* NULL */
        cells[i].data = at;
        cells[i].size = (int)size;
        last = at += size;
    }
    if (last != NULL) {
        dbm__pg_cell *cell = &cells[i - 1];
        memmove(last - cell->size - 1, cell->data, (size_t)cell->size);
        cell->data = last - cell->size - 1;
        last[-1] = '\0';
    }
    for (; i < s->columns; i++) cells[i].size = -1; /* of a row that is none */
    s->cells = s->block;
}

/* What a statement has done, and to how many rows; -1: it does not say. */
static int64_t dbm__pg_tag(dbm__pg *q, const char *tag) {
    const char *number = strrchr(tag, ' ');
    dbm__pg_look_at_tag(q, tag);
    return number != NULL && number[1] >= '0' && number[1] <= '9' ? dbm__pg_read_int(number + 1) : -1;
}

static void dbm__pg_lane_tag(dbm__pg *q, const char *tag) {
    int64_t n;
    if (q->beginning) {
        q->beginning = false;
        q->begins |= 1u << q->wait.at[0].number;
        q->tx = DBM__PG_TX_OPEN;
        return;
    }
    q->closing = true;
    if (q->op->kind == DBM_OP_COMMIT && strcmp(tag, "ROLLBACK") == 0) q->outcome = DBM_E_ROLLED_BACK;
    n = dbm__pg_tag(q, tag);
    if (n >= 0) q->affected = n;
}

/* Keeps a failure as the server sent it; the first one stays. */
static void dbm__pg_fault(dbm__pg *q, char **to, const char *body, size_t size) {
    if (*to != NULL) return;
    *to = (char *)dbm_adapter_alloc(q->owner, size + 2);
    if (*to == NULL) {
        q->no_memory = true;
        return;
    }
    memcpy(*to, body, size);
    (*to)[size] = (*to)[size + 1] = '\0';
}

/* The columns of `from` are those of `to` as well. */
static bool dbm__pg_columns_share(dbm__pg *q, dbm__pg_statement *to, const dbm__pg_statement *from) {
    if (from->about == NULL || !dbm__pg_columns_room(q, to, from->columns)) return false;
    if (from->columns > 0) memcpy(to->types, from->types, (size_t)from->columns * sizeof *to->types);
    to->columns = from->columns;
    dbm__pg_about_drop(to);
    to->about = from->about;
    to->about->uses++;
    return true;
}

/* RowDescription: the columns of `s`, and of `kept`, the statement that the server keeps for it, unless it is NULL. False: it is none, or no memory. */
static bool dbm__pg_described(dbm__pg *q, dbm__pg_statement *s, dbm__pg_statement *kept, char *m, size_t size) {
    int n = size >= 7 ? (unsigned char)m[5] << 8 | (unsigned char)m[6] : 0, i;
    char *at = m + 7, *end = m + size;
    PGresult *res = PQmakeEmptyPGresult(q->conn, PGRES_TUPLES_OK);
    PGresAttDesc *columns = (PGresAttDesc *)dbm_adapter_alloc(q->owner, ((size_t)n + 1) * sizeof *columns);
    bool ok = res != NULL && columns != NULL && size >= 7, binary;
    for (i = 0; ok && i < n; i++) {
        char *name = at;
        at = (char *)memchr(at, 0, (size_t)(end - at));
        ok = at != NULL && end - at >= 19;
        if (!ok) break;
        memset(&columns[i], 0, sizeof *columns);
        columns[i].name = name;
        columns[i].typid = dbm__pg_get32(at + 7);
        at += 19;
    }
    ok = ok && PQsetResultAttrs(res, n, columns) && dbm__pg_look_at_types(q, s, res, &binary);
    dbm_adapter_free(q->owner, columns);
    if (!ok) {
        PQclear(res);
        return false;
    }
    (void)dbm__pg_learned(s, res);
    if (s->about == NULL) return false;
    if (kept == NULL || !kept->planned || (kept != s && !dbm__pg_columns_share(q, kept, s))) return true;
    kept->binary = binary;
    kept->known = s->columns > 0;
    return true;
}

/* ---- what is in the list, by the short way ---- */

static void dbm__pg_ours_pop(dbm__pg *q) {
    q->sent_type = 0;
    if (++q->sent.head < q->sent.count) return;
    q->sent.head = q->sent.count = q->emitted = 0;
}

/* The server is ready, and has skipped what it has not answered up to this SYNC. False: it was none of the list. */
static bool dbm__pg_ours_ready(dbm__pg *q, char status) {
    for (; q->sent.head < q->sent.count; dbm__pg_ours_pop(q)) {
        dbm__pg_item *item = &q->sent.at[q->sent.head];
        if (item->kind == DBM__PG_SYNC) {
            if (dbm__pg_sent_alone(q)) dbm__pg_sent_over(q, item[-1].s);
            if (q->sent.head + 1 == q->sent.count) {
                if (status == 'I' && q->tx == DBM__PG_TX_OPEN) q->tx = DBM__PG_TX_NONE;
                q->failed_tx = status == 'E';
            }
            q->skipping = false;
            dbm__pg_ours_pop(q);
            q->ours = q->sent.count != 0 || q->unsynced;
            return true;
        }
        if (item->kind == DBM__PG_DEALLOCATE) dbm__pg_add(q, &q->drops, DBM__PG_DEALLOCATE, item->number);
        if (item->kind == DBM__PG_PREPARE) item->s->kept = false;
        if (item->kind != DBM__PG_SENT) continue;
        if (item->s->of != NULL && item->s->fault == NULL) item->s->undone = true;
        if ((item->number & DBM__PG_ALONE) == 0) dbm__pg_sent_over(q, item->s);
    }
    q->skipping = q->ours = false;
    return false;
}

static bool dbm__pg_ours_row(dbm__pg *q, dbm__pg_item *item, const char *m, size_t size) {
    dbm__pg_statement *r = item->s;
    if (size < 7) return false;
    if (DBM__UNLIKELY(r->of == NULL)) {
        uint32_t n = size >= 11 ? dbm__pg_get32(m + 7) : UINT32_MAX;
        Oid type = q->sent_type != 0 ? q->sent_type : r->known && r->columns > 0 ? r->types[0] : 0;
        dbm__pg_sent_row(q, item, type, m + 11, n <= size - 11 && size >= 11 ? (int)n : -1);
        return true;
    }
    if (r->about == NULL && !dbm__pg_columns_share(q, r, r->of)) return false;
    r->total++;
    if (r->wrong != DBM_OK || (r->first_only && r->rows != 0)) return true;
    if (r->rows != 0 && r->in.end + size > r->limit) {
        r->wrong = DBM_E_LIMIT;
        return true;
    }
    if (!dbm__pg_grow(q->owner, &r->in.data, &r->in.size, r->in.end + size)) {
        r->wrong = DBM_E_NOMEM;
        return true;
    }
    memcpy(r->in.data + r->in.end, m, size);
    r->in.end += size;
    r->rows++;
    return true;
}

/* A message about the head of the list. False: it can't be one. */
static bool dbm__pg_ours_heard(dbm__pg *q, char *m, size_t size) {
    dbm__pg_item *item = &q->sent.at[q->sent.head];
    dbm__pg_statement *s = item->s;
    bool sent = item->kind == DBM__PG_SENT;
    const char *end = m + size;
    int64_t n;
    switch (m[0]) {
    case '1':
        if (item->kind != DBM__PG_PREPARE) return true;
        s->kept = true;
        dbm__pg_ours_pop(q);
        return true;
    case '2':
        if (sent) item->number |= DBM__PG_BOUND;
        return true;
    case 'T':
        if (!sent) return false;
        if (s->of != NULL) return dbm__pg_described(q, s, (item->number & DBM__PG_NAMED) != 0 && s->of->kept && !s->of->known ? s->of : NULL, m, size);
        m = size >= 7 ? (char *)memchr(m + 7, 0, size - 7) : NULL;
        if (m != NULL && end - m >= 19) q->sent_type = dbm__pg_get32(m + 7);
        return true;
    case 'n':
        if (sent && s->of != NULL && (item->number & DBM__PG_NAMED) != 0 && s->of->kept) s->of->known = s->of->rowless = s->of->planned;
        return true;
    case 'D': return sent && dbm__pg_ours_row(q, item, m, size);
    case 'C': case 'I':
        if (item->kind == DBM__PG_SYNC || item->kind == DBM__PG_PREPARE) return false;
        n = m[0] == 'C' ? dbm__pg_tag(q, m + 5) : -1;
        if (item->kind == DBM__PG_BEGIN) q->tx = DBM__PG_TX_OPEN;
        if (item->kind == DBM__PG_COMMIT && m[0] == 'C' && strcmp(m + 5, "ROLLBACK") == 0) q->outcome = DBM_E_ROLLED_BACK;
        if (sent) dbm__pg_sent_done(q, item, n);
        if (sent && s->of != NULL && s->about == NULL && (item->number & DBM__PG_NAMED) != 0 && s->of->known && !s->of->rowless && !dbm__pg_columns_share(q, s, s->of)) s->wrong = DBM_E_NOMEM;
        if (sent && (item->number & DBM__PG_ALONE) == 0) dbm__pg_sent_over(q, s);
        dbm__pg_ours_pop(q);
        return true;
    case 'E': {
        const dbm__pg_item *about = dbm__pg_failed_for(q, item);
        char **to = about == NULL ? &q->fault : about->s->of != NULL ? &about->s->fault : &q->sent_fault;
        if (q->skipping && item->kind != DBM__PG_SYNC) return false;
        dbm__pg_fault(q, to, m + 5, size - 5);
        if (*to == NULL) return false;
        dbm__pg_failed_before(q, item, dbm__pg_field(*to, PG_DIAG_SQLSTATE), dbm__pg_field(*to, PG_DIAG_SOURCE_FUNCTION));
        if (item->kind == DBM__PG_SYNC) return true;
        q->skipping = true;
        if (sent && (item->number & DBM__PG_ALONE) == 0) dbm__pg_sent_over(q, s);
        dbm__pg_ours_pop(q);
        return true;
    }
    default: return true;
    }
}

static void dbm__pg_lane_ready(dbm__pg *q, char status) {
    q->awaited--;
    if (q->owed != 0) {
        q->owed--;
        return;
    }
    if (status == 'I' && q->tx == DBM__PG_TX_OPEN) q->tx = DBM__PG_TX_NONE;
    q->failed_tx = status == 'E';
}

/* Looks at what has come, message by message. */
static int dbm__pg_lane_look(dbm__pg *q, dbm__pg_in *in) {
    dbm__pg_statement *s = q->main;
    size_t left;
    while ((left = in->end - in->at) >= 5) {
        char *m = in->data + in->at;
        size_t size = (size_t)dbm__pg_get32(m + 1) + 1;
        if (size < 5 || size > (size_t)INT_MAX / 2) return DBM__PG_DEAD;
        if (left < size) break;
        in->at += size;
        if (DBM__UNLIKELY((m[0] == 'C' || m[0] == 'Z' || m[0] == 'E' || m[0] == 'N') && (size < 6 || (m[0] != 'Z' && m[size - 1] != '\0')))) return DBM__PG_DEAD;
        if (q->ours && q->owed == 0 && m[0] != 'N' && m[0] != 'S' && m[0] != 'A') {
            if (m[0] == 'Z' ? dbm__pg_ours_ready(q, m[5]) : q->sent.head < q->sent.count) {
                if (m[0] != 'Z' && !dbm__pg_ours_heard(q, m, size)) return DBM__PG_DEAD;
                continue;
            }
        }
        switch (m[0]) {
        case 'D': /* a row */
            if (DBM__UNLIKELY(q->owed != 0 || s == NULL || !q->lane || size < 7 || (s->in.data == NULL && (s->known ? s->rowless : s->about == NULL)))) return DBM__PG_DEAD;
            s->total++;
            if (q->mode == DBM__PG_TAKE || (q->mode == DBM__PG_FIRST && s->total == 1)) {
                if (s->rows++ == 0) in->row = in->at - size;
                if (q->mode == DBM__PG_FIRST) in->keep = in->at;
            } else if (q->mode == DBM__PG_KEEP) {
                in->row = in->at - size;
                dbm__pg_lane_row(s, s->block + s->types_capacity);
                if (!dbm__pg_keep(q, s, s->block + s->types_capacity, s->columns)) return DBM__PG_ROW;
            } else {
                q->dropped++;
            }
            break;
        case 'C': if (q->owed == 0) dbm__pg_lane_tag(q, m + 5); break;
        case 'Z':
            if (q->awaited == 0) return DBM__PG_DEAD;
            dbm__pg_lane_ready(q, m[5]);
            break;
        case 'E':
            q->closing = q->closing || q->owed == 0;
            if (q->owed == 0) dbm__pg_fault(q, &q->fault, m + 5, size - 5);
            break;
        case 'T':
            if (q->owed != 0 || s == NULL || !q->lane || s->known || s->about != NULL || !dbm__pg_described(q, s, q->named_run && s->kept ? s : NULL, m, size)) return DBM__PG_DEAD;
            break;
        case 'N':
            if (size < 7 || m[size - 2] != '\0') return DBM__PG_DEAD;
            dbm__pg_noticed(q, dbm__pg_field(m + 5, PG_DIAG_SEVERITY), dbm__pg_field(m + 5, PG_DIAG_MESSAGE_PRIMARY), dbm__pg_field(m + 5, PG_DIAG_MESSAGE_DETAIL));
            break;
        case 'S': q->settings_moved = true; break;
        case '2': q->bound = !q->beginning; break;
        case '1': case '3': case 's': case 'n': case 'A': case 'I': break;
        default: return DBM__PG_DEAD;
        }
    }
    if (q->awaited == 0 && q->sent.count == 0 && in->at == in->end) return DBM__PG_ALL;
    if (!q->lane || s == NULL || s->rows == 0 || q->mode != DBM__PG_TAKE || q->closing) return DBM__PG_WAITS;
    return q->gather && in->at - in->row < DBM__PG_MOST_BYTES ? DBM__PG_WAITS : DBM__PG_ROW;
}

/* Reads once, or as often as there is more than fits. */
static int dbm__pg_lane_read(dbm__pg *q, dbm__pg_in *in) {
    for (;;) {
        size_t left = in->end - in->at, got, need;
        dbm_status st;
        int how;
        if (q->lane && q->main != NULL && q->mode == DBM__PG_TAKE && q->main->rows > 0) in->keep = in->at; /* rows that nobody has seen yet */
        if (left != 0 && in->keep != in->at) memmove(in->data + in->keep, in->data + in->at, left);
        in->at = in->keep;
        in->end = in->keep + left;
        need = in->end + (q->lane && q->gather ? 4096 : 1);
        if (left >= 5 && in->keep + dbm__pg_get32(in->data + in->at + 1) + 1 > need) need = in->keep + dbm__pg_get32(in->data + in->at + 1) + 1;
        if (need > 2 * in->end + 65536) need = 2 * in->end + 65536; /* it says so, but has yet to come */
        if (need < 8192) need = 8192;
        if (!dbm__pg_grow(q->owner, &in->data, &in->size, need)) {
            q->no_memory = true;
            return DBM__PG_DEAD;
        }
        st = dbm__net_receive(q->fd, in->data + in->end, in->size - in->end, &got);
        q->dry = got < in->size - in->end;
        if (DBM__UNLIKELY(st != DBM_OK)) {
            if (st == DBM_E_TIMEOUT) return DBM__PG_WAITS;
            (void)PQconsumeInput(q->conn); /* so that libpq knows, too */
            return DBM__PG_DEAD;
        }
        in->end += got;
        how = dbm__pg_lane_look(q, in);
        if (how != DBM__PG_WAITS || in->end != in->size) return how;
    }
}

static int dbm__pg_lane_step(dbm__pg *q) {
    dbm__pg_statement *s = q->main;
    bool own = s != NULL && s->in.data != NULL;
    int how;
    if (DBM__UNLIKELY(q->out_at != q->out_end)) {
        dbm__pg_lane_send(q);
        if (q->op->kind == DBM_OP_COMMIT && q->tx == DBM__PG_TX_NONE && q->out_at == q->out_end) return DBM__PG_ALL; /* not waited for */
    }
    if (q->fresh) {
        q->fresh = false;
        return DBM__PG_WAITS;
    }
    how = dbm__pg_lane_read(q, own ? &s->in : &q->in);
    if (how == DBM__PG_WAITS) return how;
    q->lane = false; /* what may follow goes the long way */
    q->ours = q->ours && q->sent.count != 0;
    if (how == DBM__PG_DEAD || s == NULL || dbm__pg_failed(q)) return how;
    if (!own && (s->known ? !s->rowless : s->about != NULL)) {
        s->in = q->in;
        memset(&q->in, 0, sizeof q->in);
    }
    if (s->rows > 0 && (q->op->kind == DBM_OP_EXECUTE || q->op->kind == DBM_OP_FETCH)) {
        dbm__pg_row_moves(s);
        s->row = 0;
        dbm__pg_lane_row(s, s->block);
        s->in.keep = 0;
    }
    return how;
}

/* An operation on rows that come this way. */
static void dbm__pg_lane_on(dbm__pg *q, dbm__pg_statement *s) {
    if (s->in.data == NULL) return;
    q->lane = true;
    q->gather = q->fresh = false;
    s->rows = 0;
    s->in.keep = 0;
}

/* The row in hand stays where it is, for the program may point to it. The others are put aside, and what follows comes to another place. */
static bool dbm__pg_lane_pin(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_cell *cells = s->block + s->types_capacity;
    size_t left = s->in.end - s->in.at, size = left > 8192 ? left : 8192;
    char *data;
    for (; s->row + 1 < s->rows; s->row++) {
        dbm__pg_lane_row(s, cells);
        if (!dbm__pg_keep(q, s, cells, s->columns)) return false;
    }
    data = (char *)dbm_adapter_alloc(q->owner, size);
    if (data == NULL) {
        q->no_memory = true;
        return false;
    }
    memcpy(data, s->in.data + s->in.at, left);
    s->pinned = s->in.data;
    s->in.data = data;
    s->in.size = size;
    s->in.row = s->in.at = 0;
    s->in.end = left;
    return true;
}

/* ---- putting an operation together -------------------------------------------------------------------------------- */

/* It is over as it begins. */
static bool dbm__pg_end_local(dbm__pg *q, dbm_status status) {
    q->outcome = status;
    q->local = true;
    return false;
}
/* It is over, so. */
static bool dbm__pg_over(dbm__pg *q, dbm_status status) {
    q->outcome = status;
    return true;
}

/* Commands that had to wait, in front of one that is sent now. */
static void dbm__pg_push_waiting(dbm__pg *q, bool silent) {
    int i, part;
    for (i = 0; i < q->wait.count; i++) {
        const dbm__pg_item *item = &q->wait.at[i];
        int parts = item->kind == DBM__PG_ROLLBACK_TO ? 2 : 1;
        for (part = 0; part < parts; part++) {
            dbm__pg_item *sent = dbm__pg_add(q, &q->sent, part == 0 ? item->kind : (unsigned)DBM__PG_RELEASE, item->number);
            if (sent != NULL) sent->silent = silent;
        }
    }
    q->wait_used = q->wait.count;
}

static void dbm__pg_push_drops(dbm__pg *q) {
    int i;
    for (i = 0; i < q->drops.count; i++) dbm__pg_add(q, &q->sent, DBM__PG_DEALLOCATE, q->drops.at[i].number);
    q->drops.count = 0;
}

/* What goes before the main command of an operation. Cursors are closed and statements dropped only where that can't spoil a transaction. */
static void dbm__pg_push_before(dbm__pg *q) {
    bool open = q->tx == DBM__PG_TX_OPEN;
    int i;
    if (DBM__UNLIKELY(!open && q->setup)) {
        q->setup = false;
        dbm__pg_add(q, &q->sent, DBM__PG_SET, 0);
        dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    }
    if (DBM__UNLIKELY(!open && q->drops.count != 0)) { /* apart, since not every statement may share a transaction */
        dbm__pg_push_drops(q);
        dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    }
    if (q->wait.count != 0) dbm__pg_push_waiting(q, false);
    if (DBM__UNLIKELY(q->closes.count != 0)) {
        for (i = 0; i < q->closes.count; i++) dbm__pg_add(q, &q->sent, DBM__PG_CLOSE, q->closes.at[i].number);
        q->closes.count = 0;
    }
    if (DBM__UNLIKELY(open && q->drops.count >= 8 && !q->failed_tx)) dbm__pg_push_drops(q);
}

/* Into the pipeline, or out of it: flags of libpq's, while nothing is under way. */
static bool dbm__pg_pipe(dbm__pg *q, bool on) {
#if DBM__PG_PIPELINE
    if (q->piped == on || q->ours) return true;
    if ((on ? PQenterPipelineMode(q->conn) : PQexitPipelineMode(q->conn)) != 1) return false;
    q->piped = on;
#else
    (void)q;
    (void)on;
#endif
    return true;
}

static void dbm__pg_put(dbm__pg *q, bool alone);

/* All of the list is on its way, as far as the socket takes it. */
static void dbm__pg_go(dbm__pg *q) {
    bool alone = q->sent.count == 1 && q->emitted == 0 && !q->sent.at[0].silent; /* what is under way already is in the list too */
    dbm__pg_item *sync = dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    if (sync != NULL && q->sent.count > 1) sync->silent = sync[-1].silent;
    dbm__pg_put(q, alone);
}

static void dbm__pg_put(dbm__pg *q, bool alone) {
    q->fresh = true;
    if (DBM__LIKELY(dbm__pg_pipe(q, !alone) && !q->no_memory && dbm__pg_send(q))) return;
    if (q->no_memory) dbm_adapter_broken(q->c); /* the list has a hole; what follows it must not run */
    dbm__pg_end_local(q, q->no_memory ? dbm__pg_no_memory(q) : dbm__pg_lost(q));
}

static void dbm__pg_cursor_unlink(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_statement **at = &q->cursors;
    while (*at != NULL && *at != s) at = &(*at)->next_cursor;
    if (*at == s) *at = s->next_cursor;
}

static void dbm__pg_cursor_gone(dbm__pg *q, dbm__pg_statement *s) {
    s->cursor = 0;
    dbm__pg_cursor_unlink(q, s);
}

/* Its server side is gone with its transaction, or its savepoint. */
static void dbm__pg_cursors_lost(dbm__pg *q, int depth) {
    dbm__pg_statement **at = &q->cursors, *s;
    int i, left = 0;
    while ((s = *at) != NULL) {
        if (s->depth < depth) {
            at = &s->next_cursor;
            continue;
        }
        *at = s->next_cursor;
        s->cursor = 0;
        s->lost = true;
    }
    for (i = 0; i < q->closes.count; i++) if (q->closes.at[i].depth < depth) q->closes.at[left++] = q->closes.at[i];
    q->closes.count = left;
}

static void dbm__pg_close_cursor(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_item *item;
    if (s->cursor == 0) return;
    item = dbm__pg_add(q, &q->closes, DBM__PG_CLOSE, s->cursor);
    if (item != NULL) item->depth = s->depth;
    q->no_memory = false; /* then it ends with the transaction */
    dbm__pg_cursor_gone(q, s);
}

static void dbm__pg_transaction_over(dbm__pg *q) {
    q->tx = DBM__PG_TX_NONE;
    if (DBM__UNLIKELY(q->ddl)) dbm__pg_schema_changed(q);
    q->failed_tx = false;
    q->depth = 0;
    q->wait.count = q->wait_used = 0;
    dbm__pg_cursors_lost(q, INT_MIN);
}

/* Nothing of a result is left. */
static void dbm__pg_result_end(dbm__pg *q, dbm__pg_statement *s) {
    if (!s->ended || s->lost || s->total > DBM__PG_FIRST_ROWS) s->small_runs = 0;
    else if (s->small_runs < 255) s->small_runs++;
    dbm__pg_close_cursor(q, s);
    dbm__pg_row_moves(s);
    dbm__pg_rows_free(q, s);
    if (s->in.data != NULL) { /* for the next one */
        if (q->in.data != NULL || s->in.size > DBM__PG_BLOCK_KEPT) {
            dbm_adapter_free(q->owner, s->in.data);
        } else {
            q->in.data = s->in.data;
            q->in.size = s->in.size;
        }
        s->in.data = NULL;
    }
    s->live = false;
}

/* ---- the operations ----------------------------------------------------------------------------------------------- */

DBM__INLINE bool dbm__pg_keeps(const dbm__pg *q, const dbm__pg_statement *s) {
    return s->kept && s->age == q->age && s->names == dbm__pg_names(q);
}

static void dbm__pg_look_at_kept(dbm__pg *q, dbm__pg_statement *s) {
    if (s->kept && !dbm__pg_keeps(q, s)) dbm__pg_unkeep(q, s, s->age == q->age);
}

/* Names are this connection's alone: a pooler of transactions must not find another client's statement under one of them. */
static void dbm__pg_add_prepare(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_item *item = dbm__pg_add(q, &q->sent, DBM__PG_PREPARE, 0);
    s->id = ++q->names;
    s->age = q->age;
    s->names = dbm__pg_names(q);
    s->known = s->rowless = s->binary = false;
    dbm__format(s->name, sizeof s->name, "dbm_%u_%u", (uint64_t)q->salt, (uint64_t)s->id);
    if (item != NULL) item->s = s;
}

/* Answers to what is in the pipeline are to come. */
static void dbm__pg_ask(dbm__pg *q) {
    char *to;
    if (q->ours && q->unsynced && q->unasked != 0 && (to = dbm__pg_out(q, 8)) != NULL) (void)dbm__pg_wrote(q, dbm__pg_put_word(to, 'H'));
#if DBM__PG_PIPELINE
    if (!q->ours && q->unsynced && q->unasked != 0) (void)PQsendFlushRequest(q->conn); /* no memory for it: SYNC will do it */
#endif
    q->no_memory = q->fresh = false; /* answers may be there */
    q->unasked = 0;
    q->unasked_bytes = 0;
}

DBM__INLINE bool dbm__pg_by_cursor(const dbm__pg *q, const dbm__pg_statement *s, const dbm_op *op) {
    return s->selects && !op->one_row && !op->prepared->writes && q->tx != DBM__PG_TX_NONE && s->small_runs < DBM__PG_SMALL_RUNS;
}

static int dbm__pg_batch_rows(const dbm__pg_statement *s, int most) {
    int n = s->row_size > 0 ? DBM__PG_BATCH_BYTES / s->row_size : DBM__PG_FIRST_ROWS;
    return n < 1 ? 1 : n < most ? n : most;
}

DBM__INLINE void dbm__pg_begin_run(dbm__pg *q, dbm__pg_statement *s, const dbm_op *op) {
    q->main = s;
    dbm__pg_result_begin(s);
    q->retried = q->bound = false;
    q->mode = op->one_row ? DBM__PG_FIRST : op->prepared->writes && q->tx == DBM__PG_TX_NONE ? DBM__PG_KEEP : DBM__PG_TAKE;
}

static void dbm__pg_push_run(dbm__pg *q) {
    dbm__pg_statement *s = q->main;
    dbm_op *op = q->op;
    dbm__pg_push_before(q);
    q->before_copy = s->copies_out && q->sent.count != 0; /* no pipeline takes it: what must come first is sent first */
    if (DBM__UNLIKELY(q->before_copy)) {
        q->cursor_run = q->named_run = false;
        dbm__pg_go(q);
        return;
    }
    dbm__pg_look_at_kept(q, s);
    if (s->listens) q->lane_on = false;
    q->cursor_run = dbm__pg_by_cursor(q, s, op);
    q->named_run = false;
    if (q->cursor_run) {
        s->fetch = dbm__pg_batch_rows(s, DBM__PG_FIRST_ROWS);
        s->cursor = ++q->cursor_names;
        s->depth = q->depth;
        dbm__pg_add(q, &q->sent, DBM__PG_DECLARE, 0);
        dbm__pg_add(q, &q->sent, DBM__PG_FETCH, (uint32_t)s->fetch);
    } else {
        q->named_run = q->base->cached && s->seen && !s->copies_out;
        if (q->named_run && !s->kept) {
            dbm__pg_add_prepare(q, s);
        }
        dbm__pg_add(q, &q->sent, DBM__PG_RUN, 0);
    }
    dbm__pg_go(q);
}

/* What the program is to send or to be sent by itself can't stand in a pipeline. */
DBM__INLINE bool dbm__pg_queues(const dbm_op *op) {
    const dbm__pg_statement *s = (const dbm__pg_statement *)op->prepared->data;
    return op->no_wait && DBM__PG_PIPELINE && s != NULL && !s->copies_out && !s->listens;
}

/* Into the pipeline. In a transaction the server answers when it is told to, outside of one at each SYNC. What is written is sent when there is enough
 * of it, or when something waits; libpq keeps at most some 64 KB and one statement, as we do. */
static bool dbm__pg_start_send(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->prepared->data, *r = s;
    dbm__pg_item *item;
    bool alone = q->tx == DBM__PG_TX_NONE && !(op->reply && !op->alone && !op->prepared->writes);
    int i;
    if (op->reply && (r = dbm__pg_reply_make(q, s, op)) == NULL) return dbm__pg_end_local(q, dbm__pg_no_memory(q));
    if (q->sent.count == 0 && !q->ours) q->ours = q->laned = q->lane_on;
    dbm__pg_push_before(q);
    dbm__pg_look_at_kept(q, s);
    q->named_run = q->base->cached && s->seen;
    if (q->named_run && !s->kept) {
        dbm__pg_add_prepare(q, s);
        s->kept = true; /* it is when those behind it run */
    }
    if (op->reply) r->binary_rows = q->named_run && s->known && s->binary;
    item = dbm__pg_add(q, &q->sent, DBM__PG_SENT, (op->prepared->writes ? (unsigned)DBM__PG_WRITES : 0u) | (op->prepared->returns_rows ? (unsigned)DBM__PG_HAS_ROWS : 0u) |
                       (alone ? (unsigned)DBM__PG_ALONE : 0u) | (q->named_run ? (unsigned)DBM__PG_NAMED : 0u) | (op->reply ? (unsigned)DBM__PG_REPLY_TO : 0u));
    if (item != NULL) item->s = r;
    q->unsynced = true;
    if (alone) dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    dbm__pg_put(q, false);
    if (q->local) {
        if (op->reply && item == NULL) dbm__pg_reply_free(q, r);
        return true;
    }
    for (i = 0; i < q->wait.count; i++) if (q->wait.at[i].kind == DBM__PG_BEGIN) q->tx = DBM__PG_TX_OPEN;
    q->wait.count = q->wait_used = 0;
    q->unanswered++;
    q->replies += op->reply;
    q->unasked++;
    s->seen = true;
    if (DBM__UNLIKELY(s->moves)) dbm__pg_moved(q);
    op->queued = true;
    dbm__pg_room_end(q);
    if (q->ours) {
        size_t size = q->out_end - q->out_at;
        if (q->unasked >= DBM_PIPELINE_MAX / 2) dbm__pg_ask(q);
        if (size >= DBM__PG_BLOCK_KEPT / 4 && dbm__pg_flush(q) != 0 && size >= DBM__PG_BLOCK_KEPT) return true; /* the step writes the rest, and reads */
    } else if (q->unasked >= DBM_PIPELINE_MAX / 4 || q->unasked_bytes >= DBM__PG_BLOCK_KEPT || !q->unsynced) {
        dbm__pg_ask(q);
        (void)dbm__pg_answers(q); /* libpq reads by itself while it can't write, and must not pile it up; who waits next hears of a failure */
        if (dbm__pg_flush(q) != 0) return true;
    }
    dbm__pg_end_local(q, DBM_OK);
    return true;
}

static bool dbm__pg_start_execute(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = op->prepared != NULL ? (dbm__pg_statement *)op->prepared->data : NULL;
    dbm_status status;
    if (s == NULL) return dbm__pg_end_local(q, dbm__pg_no_memory(q));
    if (DBM__UNLIKELY(s->copies_in)) {
        dbm__pg_end_local(q, dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, "0A000", 0, "COPY from the program is not a statement: dbm_bulk_begin, dbm_bulk_row and dbm_bulk_end do it; or use "
                                         "PQputCopyData on the handle of dbm_native(s, \"postgresql\")"));
        return true;
    }
    status = dbm__pg_encode(q, op);
    if (status != DBM_OK) return dbm__pg_end_local(q, status);
    if (dbm__pg_queues(op) && (q->piped || q->ours || q->sent.count == 0)) {
        dbm__pg_start_send(q, op);
        return true;
    }
    dbm__pg_begin_run(q, s, op);
    dbm__pg_push_run(q);
    return true;
}

/* Nothing else is under way, but what was queued in this transaction. */
DBM__INLINE bool dbm__pg_lane_free(const dbm__pg *q) {
    if (DBM__UNLIKELY(q->ours || dbm__pg_sent_failed(q))) return q->lane_on && q->awaited == 0 && q->tx == DBM__PG_TX_OPEN && q->replies == 0 && !dbm__pg_sent_failed(q);
    return q->lane_on && !q->setup && q->sent.count == 0 && q->awaited == q->owed;
}

static void dbm__pg_cursor_name(char block[20], uint32_t number) { dbm__format(block, 20, "dbm_c%u", (uint64_t)number); }

/* What waits, `unknown` to be prepared, cursors and statements that are done with, and room for what follows. NULL: no memory. */
static DBM__NOINLINE char *dbm__pg_lane_begin_with(dbm__pg *q, size_t size, dbm__pg_statement *unknown) {
    char name[28], *to;
    int i;
    size += 256 + 40 * (size_t)(q->closes.count + q->drops.count);
    if (dbm__pg_out(q, size + 160 * (size_t)q->wait.count) == NULL) return NULL;
    q->beginning = q->wait.count == 1 && q->wait.at[0].kind == DBM__PG_BEGIN && !q->ours && unknown == NULL;
    if (DBM__UNLIKELY((q->wait.count != 0 && !q->beginning) || (unknown != NULL && q->named_run && !unknown->kept))) {
        q->ours = q->laned = true;
        dbm__pg_push_waiting(q, false);
        if (unknown != NULL && q->named_run && !unknown->kept) dbm__pg_add_prepare(q, unknown);
    }
    if (q->ours && (q->no_memory || !dbm__pg_send(q))) { /* the list has a hole */
        dbm_adapter_broken(q->c);
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return NULL;
    }
    q->wait_used = q->wait.count;
    to = dbm__pg_out(q, size);
    if (to == NULL) return NULL;
    for (i = 0; i < q->closes.count; i++) {
        dbm__pg_cursor_name(name, q->closes.at[i].number);
        to = dbm__pg_put_close(to, 'P', name);
    }
    for (i = 0; i < q->drops.count; i++) {
        dbm__format(name, sizeof name, "dbm_%u_%u", (uint64_t)q->salt, (uint64_t)q->drops.at[i].number);
        to = dbm__pg_put_close(to, 'S', name);
    }
    q->closes.count = q->drops.count = 0;
    return to;
}

DBM__INLINE char *dbm__pg_lane_begin(dbm__pg *q, size_t size, dbm__pg_statement *unknown) {
    if (DBM__UNLIKELY(q->wait.count + q->closes.count + q->drops.count != 0 || q->ours || unknown != NULL)) return dbm__pg_lane_begin_with(q, size, unknown);
    q->beginning = false;
    q->wait_used = 0;
    return dbm__pg_out(q, size + 256);
}

static char *dbm__pg_put_begin_run(dbm__pg *q, char *to, uint32_t number) {
    const char *name = q->begin_name;
    q->begin_name[q->begin_size] = (char)('a' + number);
    if ((q->begins >> number & 1u) == 0) {
        char block[64];
        dbm__text t = dbm__text_in(block, sizeof block);
        dbm__pg_put_begin(&t, number);
        to = dbm__pg_put_parse(to, name, block);
    }
    return dbm__pg_put_execute(dbm__pg_put_bind(q, to, "", name, 0, false), "", 0);
}

/* True: the statement is on its way. */
static bool dbm__pg_lane_start(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->prepared->data;
    char portal[20] = "", *to;
    bool known;
    if (s == NULL || !dbm__pg_lane_free(q)) return false;
    known = s->known && dbm__pg_keeps(q, s);
    if (!known && (s->copies_in || s->copies_out || s->listens)) return false;
    if (op->prepared->writes && !s->rowless && q->tx == DBM__PG_TX_NONE) return false; /* its rows are put aside before the first is handed out */
    if (dbm__pg_encode(q, op) != DBM_OK) return false; /* it fails again, and says why */
    if (DBM__UNLIKELY(!known)) {
        dbm__pg_look_at_kept(q, s);
        q->named_run = q->base->cached && s->seen;
        dbm__pg_about_drop(s);
        s->known = s->rowless = false;
    }
    to = dbm__pg_lane_begin(q, q->bytes + (known ? 0 : op->sql_size + 64), known ? NULL : s);
    if (to == NULL) return q->local;
    dbm__pg_begin_run(q, s, op);
    if (known) q->named_run = true;
    q->cursor_run = dbm__pg_by_cursor(q, s, op);
    q->prefix = 0;
    s->binary_rows = known && s->binary;
    if (DBM__UNLIKELY(q->beginning)) to = dbm__pg_put_begin_run(q, to, q->wait.at[0].number);
    if (q->cursor_run) {
        s->fetch = dbm__pg_batch_rows(s, DBM__PG_FIRST_ROWS);
        s->cursor = ++q->cursor_names;
        s->depth = q->depth;
        dbm__pg_cursor_name(portal, s->cursor);
    }
    to = dbm__pg_put_run(q, to, s, portal, q->cursor_run ? (uint32_t)s->fetch : 0, s->binary_rows, !known);
    dbm__pg_lane_go(q, dbm__pg_put_word(to, 'S'), q->cursor_run);
    return true;
}

static bool dbm__pg_lane_fetch(dbm__pg *q, dbm__pg_statement *s) {
    char portal[20], *to = dbm__pg_lane_begin(q, 0, NULL);
    if (to == NULL) return q->local;
    dbm__pg_cursor_name(portal, s->cursor);
    dbm__pg_lane_on(q, s);
    s->in.row = s->in.at = s->in.end = 0;
    if (q->in.at != q->in.end) { /* a part of what comes first */
        dbm__pg_in read = q->in;
        q->in = s->in;
        s->in = read;
    }
    q->mode = DBM__PG_TAKE;
    dbm__pg_lane_go(q, dbm__pg_put_word(dbm__pg_put_execute(to, portal, (uint32_t)s->fetch), 'S'), true);
    return true;
}

static bool dbm__pg_lane_word(dbm__pg *q, const char *word) {
    char *to = dbm__pg_lane_begin(q, 0, NULL);
    if (to == NULL) return false;
    q->main = NULL;
    *to = 'Q';
    dbm__pg_lane_go(q, dbm__pg_put_end(to, dbm__pg_put_name(to + 5, word)), false);
    return true;
}

/* The next row, where it is at hand. */
static dbm_status dbm__pg_fetch(dbm_connection *c, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->result;
    dbm__pg_held *now;
    (void)c;
    if (DBM__LIKELY(s->row + 1 < s->rows && s->now == NULL)) {
        s->row++;
        s->serial++;
        if (DBM__UNLIKELY(s->texts != NULL)) dbm__pg_texts_drop(s);
        if (s->in.data != NULL) dbm__pg_lane_row(s, s->block);
        return DBM_OK;
    }
    now = s->held;
    if (now == NULL && s->copying) { /* of COPY the next one, if it has come */
        s->q->main = s;
        s->q->mode = DBM__PG_TAKE;
        s->q->no_memory = false;
        return dbm__pg_copy_rows(s->q) == DBM__PG_ROW ? DBM_OK : DBM_E_UNSUPPORTED;
    }
    if (now == NULL) return s->live || s->cursor != 0 || s->lost ? DBM_E_UNSUPPORTED : DBM_DONE;
    dbm__pg_row_moves(s);
    s->held = now->next;
    if (s->held == NULL) s->last_held = NULL;
    s->now = now;
    s->cells = now->cells;
    return DBM_OK;
}

/* FINISH, where no rows are under way. */
static dbm_status dbm__pg_finish(dbm_connection *c, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->result;
    (void)c;
    if (s->live) return DBM_E_UNSUPPORTED;
    if (DBM__UNLIKELY(s->of != NULL)) dbm__pg_reply_free(s->q, s);
    else dbm__pg_result_end(s->q, s);
    return DBM_OK;
}

static bool dbm__pg_start_fetch(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->result;
    q->main = s;
    if (s->aside.chunks != NULL) { /* the last of them was in hand */
        dbm__pg_row_moves(s);
        dbm__aside_drop(q->owner, &s->aside, &q->spare_chunk);
    }
    if (s->live) {
        q->mode = DBM__PG_TAKE;
        dbm__pg_lane_on(q, s);
        return true;
    }
    if (s->lost) return dbm__pg_end_local(q, dbm__adapter_say(q->c, DBM_E_ROLLED_BACK, "34000", 0, "the rest of these rows went with the savepoint or the transaction that was rolled back"));
    s->fetch = dbm__pg_batch_rows(s, s->looped ? DBM__PG_LOOP_ROWS : DBM__PG_MOST_ROWS);
    s->fetched = s->total;
    q->cursor_run = true;
    if (s->in.data != NULL && dbm__pg_lane_free(q) && dbm__pg_lane_fetch(q, s)) return true;
    dbm_adapter_free(q->owner, s->in.data); /* the rows come through libpq from now on */
    s->in.data = NULL;
    dbm__pg_push_before(q);
    dbm__pg_add(q, &q->sent, DBM__PG_FETCH, (uint32_t)s->fetch);
    dbm__pg_go(q);
    return true;
}

static void dbm__pg_start_commit(dbm__pg *q, dbm_op *op) {
    bool quick;
    dbm__pg_item *item;
    if (q->tx != DBM__PG_TX_OPEN) { /* it was never sent */
        dbm__pg_transaction_over(q);
        dbm__pg_end_local(q, DBM_OK);
        return;
    }
    q->closes.count = 0;
    q->moves += q->moved;
    q->moved = false;
    quick = op->kind == DBM_OP_COMMIT && op->no_wait && (DBM__PG_PIPELINE || q->lane_on);
    q->retried = false;
    if (op->kind == DBM_OP_ROLLBACK) q->wait.count = 0;
    if (dbm__pg_lane_free(q) && !q->ours && q->wait.count == 0 && dbm__pg_lane_word(q, op->kind == DBM_OP_COMMIT ? "COMMIT" : "ROLLBACK")) {
        if (!quick) return;
        q->owed++;
        dbm__pg_transaction_over(q);
        op->started = false;
        if (q->out_at == q->out_end) dbm__pg_end_local(q, DBM_OK);
        return;
    }
    if (!quick && dbm__pg_lane_free(q)) q->ours = q->laned = true;
    if (op->kind == DBM_OP_COMMIT) dbm__pg_push_waiting(q, quick);
    item = dbm__pg_add(q, &q->sent, op->kind == DBM_OP_COMMIT ? DBM__PG_COMMIT : DBM__PG_ROLLBACK, 0);
    if (item != NULL) item->silent = quick;
    dbm__pg_go(q);
    if (!quick || q->local) return;
    dbm__pg_transaction_over(q);
    if (PQflush(q->conn) == 0) dbm__pg_end_local(q, DBM_OK);
}

/* RESET is sent and not waited for: locks, listeners and temporary tables must not wait for the next user. */
static void dbm__pg_start_reset(dbm__pg *q) {
    const char *sql = dbm_adapter_config(q->owner)->init_sql;
    int i, first = q->sent.count;
    if (q->tx == DBM__PG_TX_OPEN) {
        dbm__pg_add(q, &q->sent, DBM__PG_ROLLBACK, 0);
        dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    }
    dbm__pg_transaction_over(q);
    dbm__pg_forget(q);
    dbm__pg_replies_drop(q);
    dbm__pg_add(q, &q->sent, DBM__PG_DISCARD, 0);
    dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    if (q->set_style || q->set_interval || q->set_zone || q->set_limit) {
        dbm__pg_add(q, &q->sent, DBM__PG_SET, 0);
        dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    }
    q->setup = false;
    if (sql != NULL) {
        size_t at = 0, size = strlen(sql), next = 0;
        for (; at < size; at += next) {
            if (dbm__sql_statement_end(sql + at, size - at, DBM__PG_LEXER, &next) == 0) continue;
            dbm__pg_add(q, &q->sent, DBM__PG_INIT, (uint32_t)at);
            dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
        }
    }
    q->sent.count--; /* the last SYNC is added as ever */
    for (i = first; i < q->sent.count; i++) q->sent.at[i].silent = DBM__PG_PIPELINE != 0;
    dbm__pg_go(q);
    if (q->local || !DBM__PG_PIPELINE) return;
    if (PQflush(q->conn) == 0) dbm__pg_end_local(q, DBM_OK);
}

/* Where libpq is not in the state that our flow needs, after dbm_native, and a script: reads what the program has not read to the end, as far as it has come. */
static int dbm__pg_return_from_native(dbm__pg *q) {
    (void)PQsetnonblocking(q->conn, 1);
    for (;;) {
        PGresult *res;
        ExecStatusType status;
        if (PQisBusy(q->conn)) return PQstatus(q->conn) == CONNECTION_BAD ? DBM__PG_DEAD : DBM__PG_WAITS;
        res = PQgetResult(q->conn);
        status = PQresultStatus(res);
        PQclear(res);
        if (res == NULL || status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH || PQstatus(q->conn) == CONNECTION_BAD) break;
    }
#if DBM__PG_PIPELINE
    q->piped = PQpipelineStatus(q->conn) != PQ_PIPELINE_OFF;
#endif
    q->state = DBM__PG_READY;
    if (!dbm__pg_look_at_transaction(q)) return DBM__PG_DEAD;
    dbm__pg_forget(q); /* the program may have deallocated them, */
    dbm__pg_schema_changed(q); /* and more */
    return DBM__PG_ALL;
}

/* COPY: whether it is from or to the program. One that reads is a query whose rows are what it sends. */
static void dbm__pg_look_at_copy(dbm__pg_statement *s, const dbm_op *op) {
    size_t at = 0, n = 0;
    int depth = 0, words = 0;
    bool in = false, out = false, writes = false;
    const char *word;
    while (!in && !out && (word = dbm__sql_word(op->sql, op->sql_size, DBM__PG_LEXER, &at, &depth, &n)) != NULL) {
        if (++words == 2) writes = dbm__sql_begins(word, n, DBM__PG_LEXER, "INSERT UPDATE DELETE MERGE WITH ");
        in = depth == 0 && dbm__same_word_n(word, n, "FROM");
        out = depth == 0 && dbm__same_word_n(word, n, "TO");
    }
    word = in || out ? dbm__sql_word(op->sql, op->sql_size, DBM__PG_LEXER, &at, &depth, &n) : NULL;
    if (word == NULL || (!dbm__same_word_n(word, n, "STDIN") && !dbm__same_word_n(word, n, "STDOUT"))) return; /* a file of the server's */
    s->copies_in = in;
    s->copies_out = op->prepared->returns_rows = out;
    if (out) op->prepared->writes = writes;
}

/* Anywhere in a text, a quoted one included. */
static bool dbm__pg_has(const char *sql, const char *word) {
    for (; *sql != '\0'; sql++) if (dbm__same_word_n(sql, strlen(word), word)) return true;
    return false;
}

static dbm_status dbm__pg_prepare(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)dbm_adapter_alloc(q->owner, sizeof *s);
    if (s == NULL) return dbm__pg_no_memory(q);
    memset(s, 0, sizeof *s);
    s->q = q;
    s->inserts = dbm__sql_begins(op->sql, op->sql_size, DBM__PG_LEXER, "INSERT ");
    s->listens = dbm__sql_begins(op->sql, op->sql_size, DBM__PG_LEXER, "LISTEN ");
    s->selects = dbm__sql_begins(op->sql, op->sql_size, DBM__PG_LEXER, "SELECT VALUES TABLE WITH ");
    s->planned = s->selects || dbm__sql_begins(op->sql, op->sql_size, DBM__PG_LEXER, "INSERT UPDATE DELETE MERGE ");
    s->moves = dbm__pg_has(op->sql, "search_path") || dbm__sql_begins(op->sql, op->sql_size, DBM__PG_LEXER, "SET RESET ALTER CREATE DROP CALL DO ");
    if (DBM__UNLIKELY(dbm__sql_begins(op->sql, op->sql_size, DBM__PG_LEXER, "COPY "))) dbm__pg_look_at_copy(s, op);
    op->prepared->data = s;
    op->prepared->single = true;
    return DBM_OK;
}

static void dbm__pg_unprepare(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->prepared->data;
    op->prepared->data = NULL;
    if (s == NULL) return;
    if (s->kept && s->age == q->age) {
        dbm__pg_add(q, &q->drops, DBM__PG_DEALLOCATE, s->id);
        q->no_memory = false; /* then it stays there until the connection ends */
    }
    dbm__pg_result_end(q, s);
    if (q->main == s) q->main = NULL;
    dbm__pg_about_drop(s);
    dbm_adapter_free(q->owner, s->block);
    dbm_adapter_free(q->owner, s);
}

static void dbm__pg_wait_add(dbm__pg *q, int kind, int number) {
    bool added = dbm__pg_add(q, &q->wait, kind, (uint32_t)number) != NULL;
    q->no_memory = false;
    dbm__pg_end_local(q, added ? DBM_OK : dbm__pg_no_memory(q));
}

/* What waited has been done; or not, but then the transaction is lost with it. */
static void dbm__pg_wait_done(dbm__pg *q) {
    int i;
    for (i = q->wait_used; i < q->wait.count; i++) q->wait.at[i - q->wait_used] = q->wait.at[i];
    q->wait.count -= q->wait_used;
    q->wait_used = 0;
}

/* ---- a bulk of single rows ------------------------------------------------------------------------------------------
 * They are gathered, and go in flights: SAVEPOINT, the INSERT once for each, RELEASE. When one fails the server has skipped the rest: the next flight
 * undoes what this one did and does it again without that row. The more rows fail, the shorter the flights. */

static void dbm__pg_each_free(dbm__pg *q) {
    if (q->each == NULL) return;
    dbm_adapter_free(q->owner, q->each->texts);
    dbm_adapter_free(q->owner, q->each);
    q->each = NULL;
}

static dbm_status dbm__pg_each_begin(dbm__pg *q, dbm_bulk_plan *plan) {
    struct dbm__pg_each *e;
    size_t size = sizeof *e + DBM__PG_EACH_ROWS * (size_t)plan->column_count * sizeof(dbm_value);
    e = q->each = (struct dbm__pg_each *)dbm_adapter_alloc(q->owner, size);
    if (e == NULL) return dbm__pg_no_memory(q);
    memset(e, 0, sizeof *e);
    e->values = (dbm_value *)(void *)(e + 1);
    e->columns = plan->column_count;
    e->window = DBM__PG_EACH_ROWS;
    plan->data = e;
    return DBM_OK;
}

static dbm_status dbm__pg_take_row(dbm_connection *c, dbm_op *op, const dbm_value *values) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    struct dbm__pg_each *e = q->each;
    dbm_value *to;
    size_t from;
    int i;
    if (DBM__LIKELY(e == NULL)) return dbm__pg_bulk_row(c, op, values);
    to = e->values + (size_t)e->rows * (size_t)e->columns;
    from = e->size;
    for (i = 0; i < e->columns; i++) {
        size_t size = dbm__is_text(values[i].type) ? values[i].as.text.size : 0;
        dbm_status st = dbm__pg_check(q, &values[i], i);
        to[i] = values[i];
        if (st == DBM_OK && !dbm__pg_grow(q->owner, &e->texts, &e->capacity, e->size + size)) st = dbm__pg_no_memory(q);
        if (st != DBM_OK) {
            e->size = from;
            op->bulk->failed_column = i;
            return st;
        }
        if (!dbm__is_text(values[i].type)) continue;
        if (size != 0) memcpy(e->texts + e->size, values[i].as.text.data, size);
        to[i].as.text.data = (const char *)(uintptr_t)e->size;
        e->size += size;
    }
    e->numbers[e->rows++] = op->bulk->rows;
    return e->rows == DBM__PG_EACH_ROWS || e->size >= DBM__PG_EACH_BYTES ? DBM_DONE : DBM_OK;
}

static dbm_status dbm__pg_take_columns(dbm_connection *c, dbm_op *op, const dbm_column *columns, size_t first, size_t count, size_t *taken) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    return DBM__LIKELY(q->each == NULL) ? dbm__pg_bulk_columns(c, op, columns, first, count, taken) : DBM_E_UNSUPPORTED;
}

/* The INSERT of one row. */
static bool dbm__pg_each_emit(dbm__pg *q, uint32_t row) {
    struct dbm__pg_each *e = q->each;
    dbm_value values[DBM__MAX_VALUES];
    dbm_op op;
    int i;
    memset(&op, 0, sizeof op);
    op.values = values;
    op.value_count = e->columns;
    for (i = 0; i < e->columns; i++) {
        values[i] = e->values[row * (size_t)e->columns + (size_t)i];
        if (dbm__is_text(values[i].type)) values[i].as.text.data = e->texts + (uintptr_t)values[i].as.text.data;
    }
    if (dbm__pg_encode(q, &op) != DBM_OK) {
        q->no_memory = true;
        return false;
    }
    return PQsendQueryPrepared(q->conn, "", e->columns, q->params, q->lengths, q->formats, 0) == 1;
}

/* The next flight. False: there is none. */
static bool dbm__pg_each_go(dbm__pg *q) {
    struct dbm__pg_each *e = q->each;
    int i;
    if (e->first == e->rows && !e->undo) return false;
    e->limit = e->rows - e->first < e->window ? e->rows : e->first + e->window;
    e->failed = -1;
    dbm__pg_push_before(q);
    if (e->undo) {
        dbm__pg_add(q, &q->sent, DBM__PG_ROLLBACK_TO, DBM__PG_EACH_POINT);
        dbm__pg_add(q, &q->sent, DBM__PG_RELEASE, DBM__PG_EACH_POINT);
    }
    e->undo = false;
    if (e->first < e->limit) {
        dbm__pg_add(q, &q->sent, DBM__PG_SAVEPOINT, DBM__PG_EACH_POINT);
        dbm__pg_add(q, &q->sent, DBM__PG_PARSE, 0);
        for (i = e->first; i < e->limit; i++) if (e->values[i * e->columns].type != DBM_TYPE_INVALID) dbm__pg_add(q, &q->sent, DBM__PG_ROW_OF_BULK, (uint32_t)i);
        dbm__pg_add(q, &q->sent, DBM__PG_RELEASE, DBM__PG_EACH_POINT);
    }
    dbm__pg_go(q);
    return true;
}

/* A flight was answered. True: so was the last one. */
static bool dbm__pg_each_end(dbm__pg *q) {
    struct dbm__pg_each *e = q->each;
    dbm__pg_wait_done(q);
    if (q->no_memory) return dbm__pg_over(q, dbm__pg_no_memory(q));
    if (!dbm__pg_failed(q)) {
        e->written += e->flown;
        e->first = e->limit;
        if (e->window < DBM__PG_EACH_ROWS) e->window *= 2;
    } else {
        dbm_status st = dbm__pg_refused(q);
        if (e->failed < 0 || (st != DBM_E_CONSTRAINT && st != DBM_E_RANGE && st != DBM_E_SQL && st != DBM_E_MISUSE && st != DBM_E_LIMIT)) return dbm__pg_over(q, st);
        dbm_adapter_bulk_refused(q->c, q->op, e->numbers[e->failed]);
        dbm__pg_failure_drop(q);
        e->values[e->failed * e->columns].type = DBM_TYPE_INVALID;
        e->undo = true;
        if (e->window > 1) e->window /= 2;
    }
    e->flown = 0;
    if (dbm__pg_each_go(q)) return q->local;
    e->rows = e->first = 0;
    e->size = 0;
    q->op->affected = e->written;
    return true;
}

/* The columns' types ride with BEGIN or SAVEPOINT; then COPY is sent alone, see dbm__pg_bulk_end. */
static bool dbm__pg_start_bulk(dbm__pg *q, dbm_op *op) {
    q->main = NULL;
    q->copying = q->copy_blind = q->copy_tail = false;
    if (op->bulk->each_row) return dbm__pg_end_local(q, dbm__pg_each_begin(q, op->bulk));
    q->copy = dbm__pg_copy_make(q->owner, op->bulk);
    if (q->copy == NULL) return dbm__pg_end_local(q, dbm__pg_no_memory(q));
    op->bulk->data = q->copy;
    dbm__pg_push_before(q);
    q->patience_us = 0;
    dbm__pg_add(q, &q->sent, DBM__PG_PARSE, 0);
    dbm__pg_add(q, &q->sent, DBM__PG_DESCRIBE, 0);
    dbm__pg_go(q);
    return true;
}

static dbm_status dbm__pg_connect_start(dbm_connection *c, dbm_op *op);
static void dbm__pg_start_now(dbm__pg *q, dbm_op *op);
static bool dbm__pg_end(dbm__pg *q, int how);

/* What of the pipeline must be answered before the operation begins: all, where one that failed would not keep the operation from being done. */
static int dbm__pg_before(const dbm__pg *q, const dbm_op *op) {
    switch (op->kind) {
    case DBM_OP_BEGIN: case DBM_OP_SAVEPOINT: case DBM_OP_PREPARE: case DBM_OP_UNPREPARE: case DBM_OP_HOLD: case DBM_OP_FINISH: case DBM_OP_CONNECT:
    case DBM__OP_SIGNED:
        return DBM__PG_GO;
    case DBM_OP_EXECUTE:
        if (!dbm__pg_sent_failed(q) && dbm__pg_queues(op) && q->owed == 0 && (q->unanswered == 0 || (q->replies != 0) == op->reply)) {
            return q->unanswered >= DBM_PIPELINE_MAX - 1 ? DBM__PG_ROOM : DBM__PG_GO;
        }
        if (q->ours) return DBM__PG_DRAIN;
        break;
    case DBM_OP_FETCH:
        if (q->ours && ((const dbm__pg_statement *)op->result)->in.data == NULL) return DBM__PG_DRAIN;
        break;
    case DBM_OP_COMMIT: break;
    case DBM_OP_ROLLBACK: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: case DBM_OP_SCRIPT: case DBM_OP_PING: case DBM_OP_RESET: case DBM_OP_NATIVE:
    case DBM_OP_COMMAND: case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_BULK: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END:
    case DBM_OP_LISTEN: case DBM_OP_NOTIFIED:
        return DBM__PG_DRAIN;
    }
    return dbm__pg_sent_failed(q) || q->tx == DBM__PG_TX_NONE || q->owed != 0 || q->replies != 0 ? DBM__PG_DRAIN : DBM__PG_GO;
}

static int64_t dbm__pg_key(dbm__pg *q, dbm__pg_statement *s);

static void dbm__pg_drain(dbm__pg *q, int before) {
    q->before = before;
    if (q->unsynced) dbm__pg_go(q);
    q->fresh = before == DBM__PG_REPLY && q->ours && q->dry; /* else answers may be there */
}

/* What the oldest one of those has to say that were queued to be received. False: there is none. */
static bool dbm__pg_received(dbm__pg *q) {
    dbm_op *op = q->op;
    dbm__pg_statement *r = q->ready;
    if (r == NULL) return false;
    q->ready = r->next_cursor;
    q->main = NULL;
    q->cursor_run = false;
    op->affected = r->affected;
    if (r->fault != NULL || r->error != NULL) {
        dbm__pg_failure_drop(q);
        q->fault = r->fault;
        q->error = r->error;
        r->fault = NULL;
        r->error = NULL;
        op->undone = r->undone && q->tx == DBM__PG_TX_NONE;
        q->outcome = dbm__pg_refused(q);
    } else if (r->undone) {
        op->undone = q->tx == DBM__PG_TX_NONE;
        q->outcome = dbm__adapter_say(q->c, DBM_E_ROLLED_BACK, NULL, 0, "a statement that was sent before this one has failed, so this one was not done");
    } else if (r->wrong == DBM_E_LIMIT) {
        q->outcome = dbm__adapter_say(q->c, DBM_E_LIMIT, NULL, 0, "the statement is done, but its rows are more than row_buffer (%z bytes)", r->limit);
    } else if (r->wrong != DBM_OK || (r->res != NULL && !dbm__pg_look_at_types(q, r, r->res, &r->next_binary))) {
        q->outcome = dbm__pg_no_memory(q);
    } else {
        if (r->inserts) op->last_id = r->affected == 0 ? 0 : DBM_LAST_ID_UNKNOWN;
        if (r->res != NULL || r->about != NULL) {
            op->result = r;
            op->columns = r->columns;
            op->row = r->rows > 0;
            op->settled = r->writes;
            if (!r->writes) op->affected = -1;
            if (op->row && r->res == NULL) dbm__pg_lane_row(r, r->block);
            if (r->inserts) op->last_id = dbm__pg_key(q, r);
            return true;
        }
    }
    dbm__pg_reply_free(q, r);
    return true;
}

static void dbm__pg_start(dbm_connection *c, dbm_op *op) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    if (op->kind == DBM_OP_CONNECT) {
        dbm_status status = dbm__pg_connect_start(c, op);
        op->state = status == DBM_OK ? NULL : c; /* not NULL: it is over */
        op->status = status;
        return;
    }
    q->given_up = q->op != NULL;
    q->op = op;
    q->outcome = DBM_OK;
    q->lane = q->local = q->full = q->no_memory = q->killed = false;
    q->before = DBM__PG_GO;
    q->was_open = q->tx == DBM__PG_TX_OPEN;
    q->affected = -1;
    q->wait_used = 0;
    if (DBM__UNLIKELY(dbm__pg_failed(q))) dbm__pg_failure_drop(q);
    q->fresh = true;
    dbm__store(&q->cancelled, 0);
    if (DBM__UNLIKELY(q->state == DBM__PG_NATIVE_USE) && op->kind != DBM_OP_NATIVE && op->kind != DBM_OP_PREPARE && op->kind != DBM_OP_UNPREPARE) {
        q->before = DBM__PG_FROM_NATIVE;
        return;
    }
    if (DBM__LIKELY(op->kind == DBM_OP_EXECUTE) && !op->no_wait && dbm__pg_lane_start(q, op)) return;
    q->of_pipeline = false;
    if (DBM__UNLIKELY(op->kind == DBM_OP_RECEIVE)) {
        if (dbm__pg_received(q)) dbm__pg_end_local(q, q->outcome);
        else if (q->replies == 0) dbm__pg_end_local(q, DBM_DONE);
        else dbm__pg_drain(q, DBM__PG_REPLY);
        return;
    }
    if (op->kind == DBM_OP_EXECUTE && op->no_wait && op->reply && !dbm__pg_queues(op)) {
        dbm__pg_end_local(q, DBM_E_UNSUPPORTED);
        return;
    }
    q->before = q->unanswered != 0 || q->ours || dbm__pg_sent_failed(q) || q->owed != 0 ? dbm__pg_before(q, op) : DBM__PG_GO;
    if (DBM__LIKELY(q->before == DBM__PG_GO)) dbm__pg_start_now(q, op);
    else if (q->owed != 0) q->before = DBM__PG_OWED;
    else if (q->before == DBM__PG_ROOM) dbm__pg_ask(q);
    else dbm__pg_drain(q, q->before);
}

/* The statements of LISTEN; false: the operation has failed. */
static bool dbm__pg_listen(dbm__pg *q, dbm_op *op) {
    const char *verb = op->listen == DBM_LISTEN_CHANNEL ? "LISTEN \"" : op->listen == (DBM_LISTEN_CHANNEL | DBM_LISTEN_STOP) ? "UNLISTEN \"" : NULL;
    size_t need = 1, i;
    int v;
    char *out;
    if (verb == NULL) return dbm__pg_end_local(q, dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, NULL, 0, "PostgreSQL has channels by their names alone, neither patterns nor shards"));
    for (v = 0; v < op->value_count; v++) {
        const dbm_value *name = &op->values[v];
        need += strlen(verb) + 2 * name->as.text.size + 2;
        if (name->type == DBM_TYPE_TEXT && memchr(name->as.text.data, 0, name->as.text.size) == NULL) continue;
        return dbm__pg_end_local(q, dbm__adapter_say(q->c, DBM_E_RANGE, NULL, 0, "a channel's name is a text without a NUL"));
    }
    out = (char *)dbm_adapter_resize(q->owner, q->listen, need);
    if (out == NULL) return dbm__pg_end_local(q, dbm__pg_no_memory(q));
    for (q->listen = out, v = 0; v < op->value_count; v++) {
        const dbm_value *name = &op->values[v];
        memcpy(out, verb, strlen(verb));
        out += strlen(verb);
        for (i = 0; i < name->as.text.size; i++) {
            if (name->as.text.data[i] == '"') *out++ = '"';
            *out++ = name->as.text.data[i];
        }
        *out++ = '"';
        *out++ = ';';
    }
    *out = 0;
    op->sql = q->listen;
    op->sql_size = (size_t)(out - q->listen);
    return true;
}

static dbm_step dbm__pg_notified(dbm__pg *q, dbm_op *op) {
    bool lost = false;
    if (q->told != NULL) PQfreemem(q->told);
    q->told = PQnotifies(q->conn);
    if (q->told == NULL) {
        lost = PQconsumeInput(q->conn) != 1;
        q->told = PQnotifies(q->conn);
    }
    op->fd = PQsocket(q->conn);
    if (q->told == NULL && !lost && PQstatus(q->conn) != CONNECTION_BAD) return DBM_STEP_READ;
    op->status = q->told != NULL ? DBM_OK : dbm__pg_lost(q);
    if (q->told == NULL) return DBM_STEP_DONE;
    q->notification.channel = dbm_textn(q->told->relname, strlen(q->told->relname));
    q->notification.payload = dbm_textn(q->told->extra, strlen(q->told->extra));
    q->notification.pattern = dbm_null();
    q->notification.process = q->told->be_pid;
    op->native = &q->notification;
    return DBM_STEP_DONE;
}

/* The operation itself. */
static void dbm__pg_start_now(dbm__pg *q, dbm_op *op) {
    dbm_isolation level;
    if (DBM__UNLIKELY((q->sent.head < q->sent.count && q->sent.at[q->sent.head].kind == DBM__PG_RUN) || q->awaited != q->owed) &&
        (op->kind == DBM_OP_EXECUTE || op->kind == DBM_OP_COMMIT || op->kind == DBM_OP_ROLLBACK || op->kind >= DBM_OP_SCRIPT)) {
        dbm__pg_end_local(q, dbm__adapter_say(q->c, DBM_E_MISUSE, NULL, 0, "the rows of another statement are still being read on this connection"));
        return;
    }
    switch (op->kind) {
    case DBM_OP_BEGIN:
        level = op->isolation;
        q->tx = DBM__PG_TX_QUEUED;
        q->depth = 0;
        dbm__pg_wait_add(q, DBM__PG_BEGIN, (level > DBM_ISOLATION_DEFAULT && level <= DBM_SERIALIZABLE ? (int)level : 0) | (op->read_only ? 8 : 0));
        break;
    case DBM_OP_SAVEPOINT:
        q->depth = op->savepoint;
        dbm__pg_wait_add(q, DBM__PG_SAVEPOINT, op->savepoint);
        break;
    case DBM_OP_RELEASE: {
        dbm__pg_statement *s;
        q->depth = op->savepoint - 1;
        for (s = q->cursors; s != NULL; s = s->next_cursor) if (s->depth > q->depth) s->depth = q->depth;
        dbm__pg_wait_add(q, DBM__PG_RELEASE, op->savepoint);
        break;
    }
    case DBM_OP_ROLLBACK_TO:
        q->depth = op->savepoint - 1;
        q->moves += q->moved;
        dbm__pg_cursors_lost(q, op->savepoint);
        dbm__pg_wait_add(q, DBM__PG_ROLLBACK_TO, op->savepoint);
        break;
    case DBM_OP_COMMIT: case DBM_OP_ROLLBACK: dbm__pg_start_commit(q, op); break;
    case DBM_OP_PREPARE: dbm__pg_end_local(q, dbm__pg_prepare(q, op)); break;
    case DBM_OP_UNPREPARE:
        dbm__pg_unprepare(q, op);
        dbm__pg_end_local(q, DBM_OK);
        break;
    case DBM_OP_EXECUTE: dbm__pg_start_execute(q, op); break;
    case DBM_OP_FETCH: dbm__pg_start_fetch(q, op); break;
    case DBM_OP_HOLD: case DBM_OP_FINISH: {
        dbm__pg_statement *s = (dbm__pg_statement *)op->result;
        q->main = s;
        q->mode = op->kind == DBM_OP_HOLD ? DBM__PG_KEEP : DBM__PG_DROP;
        s->looped = s->looped || op->kind == DBM_OP_HOLD;
        q->dropped = 0;
        if (!s->live) dbm__pg_end_local(q, s->cursor != 0 ? DBM_DONE : DBM_OK); /* HOLD */
        else if (op->kind == DBM_OP_FINISH || s->in.data == NULL || dbm__pg_lane_pin(q, s)) dbm__pg_lane_on(q, s);
        else q->local = dbm__pg_end(q, DBM__PG_ROW);
        break;
    }
    case DBM_OP_PING:
        q->main = NULL;
        dbm__pg_add(q, &q->sent, DBM__PG_PING, 0);
        dbm__pg_go(q);
        break;
    case DBM_OP_RESET: dbm__pg_start_reset(q); break;
    case DBM_OP_SCRIPT: case DBM_OP_NATIVE: case DBM_OP_LISTEN:
        q->main = NULL;
        if (op->kind == DBM_OP_LISTEN && !dbm__pg_listen(q, op)) return;
        if (q->state == DBM__PG_NATIVE_USE) {
            op->native = q->conn;
            dbm__pg_end_local(q, DBM_OK);
            break;
        }
        dbm__pg_push_before(q);
        if (op->kind == DBM_OP_NATIVE || dbm__pg_has(op->sql, "LISTEN")) q->lane_on = false;
        if (q->laned && op->kind == DBM_OP_NATIVE && q->sent.count == 0) dbm__pg_add(q, &q->sent, DBM__PG_PING, 0); /* so that PQtransactionStatus() is right */
        if (q->sent.count != 0) dbm__pg_go(q);
        break;
    case DBM_OP_BULK: dbm__pg_start_bulk(q, op); break;
    case DBM_OP_BULK_SEND: case DBM_OP_BULK_END:
        q->main = NULL;
        if (q->each != NULL && !q->given_up) {
            q->affected = q->each->written;
            if (op->bulk->abandon || !dbm__pg_each_go(q)) dbm__pg_end_local(q, DBM_OK);
        } else if (q->given_up || !q->copying) dbm__pg_end_local(q, op->bulk->abandon ? DBM_OK : dbm__pg_lost(q));
        else if (op->kind == DBM_OP_BULK_END && !op->bulk->abandon) q->no_memory = !dbm__pg_copy_last(q->copy);
        break;
    case DBM_OP_SYNC:
        while (q->outcome == DBM_OK && dbm__pg_received(q)) { /* nobody wants them: the first failure is told */
            if (op->result != NULL) dbm__pg_reply_free(q, (dbm__pg_statement *)op->result);
            op->result = NULL;
        }
        op->affected = op->last_id = -1;
        dbm__pg_replies_drop(q);
        dbm__pg_end_local(q, q->outcome);
        break;
    case DBM_OP_NOTIFIED: q->op = NULL; break; /* it may be left at any time */
    case DBM_OP_CONNECT: case DBM_OP_COMMAND: case DBM_OP_RECEIVE: case DBM__OP_SIGNED: dbm__pg_end_local(q, DBM_E_UNSUPPORTED); break;
    }
}

/* ---- cancel ---------------------------------------------------------------------------------------------------------- */

/* A CancelRequest goes on a connection of its own, which nobody waits for longer than DBM__PG_CANCEL_US; its end says that the request has been
 * done, so that it can't meet a later statement. libpq 17 has calls for it, which encrypt it as the connection is; older ones send the server's process and key in clear,
 * as our own sixteen bytes do. Source: "Canceling Requests in Progress" of PostgreSQL's protocol. */

/* Neither waits. Without a key the request has been made when it returns. */
static void dbm__pg_kill_begin(dbm__pg *q, dbm__pg_kill *k) {
    memset(k, 0, sizeof *k);
    k->fd = -1;
    k->until_us = dbm_adapter_clock(q->owner) + DBM__PG_CANCEL_US;
#if DBM__PG_CANCEL_ASYNC
    k->request = PQcancelCreate(q->conn);
    k->active = k->request != NULL && PQcancelStart(k->request) == 1;
    k->next = PGRES_POLLING_WRITING;
    if (k->active) k->fd = PQcancelSocket(k->request);
    else PQcancelFinish(k->request);
#else
#  if DBM__PG_CANCEL_KEY
    if (q->has_key && (k->fd = socket(((struct sockaddr *)(void *)&q->peer)->sa_family, SOCK_STREAM, 0)) >= 0) {
        int flags = fcntl(k->fd, F_GETFL, 0);
        (void)fcntl(k->fd, F_SETFD, FD_CLOEXEC);
#    if defined(SO_NOSIGPIPE)
        int on = 1;
        (void)setsockopt(k->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, (socklen_t)sizeof on);
#    endif
        k->active = flags >= 0 && fcntl(k->fd, F_SETFL, flags | O_NONBLOCK) == 0;
        if (!k->active) dbm__net_close(k->fd);
        return;
    }
#  endif
    if (!q->has_key) {
        PGcancel *request = PQgetCancel(q->conn);
        char said[256];
        if (request != NULL) (void)PQcancel(request, said, (int)sizeof said);
        PQfreeCancel(request);
    }
#endif
}

/* What it waits for, on k->fd; DONE: it is over, and has been done unless k->late. */
static dbm_step dbm__pg_kill_step(dbm__pg *q, dbm__pg_kill *k) {
    if (!k->active) return DBM_STEP_DONE;
    k->late = dbm_adapter_clock(q->owner) >= k->until_us;
#if DBM__PG_CANCEL_ASYNC
    if (!k->late) {
        k->next = PQcancelPoll(k->request);
        k->fd = PQcancelSocket(k->request);
        if (k->next == PGRES_POLLING_READING || k->next == PGRES_POLLING_WRITING) return k->next == PGRES_POLLING_READING ? DBM_STEP_READ : DBM_STEP_WRITE;
    }
    PQcancelFinish(k->request);
#else
    if (!k->late) {
        char packet[16], *at = packet;
        size_t n = 0;
        dbm_status st = DBM_OK;
#  if DBM__PG_CANCEL_KEY
        if (!k->begun && connect(k->fd, (struct sockaddr *)(void *)&q->peer, q->peer_size) != 0 && errno == EAGAIN) return DBM_STEP_TIMER; /* a socket file's queue is full */
#  endif
        k->begun = true;
        at = dbm__pg_to32(dbm__pg_to32(at, 16), 1234u << 16 | 5678u);
        (void)dbm__pg_to32(dbm__pg_to32(at, (uint32_t)q->pid), (uint32_t)q->key);
        if (!k->sent) {
            st = dbm__net_send(k->fd, packet, sizeof packet, &n);
            k->sent = st == DBM_OK && n == sizeof packet;
            if (st == DBM_E_TIMEOUT) return DBM_STEP_WRITE;
        }
        if (k->sent) do st = dbm__net_receive(k->fd, packet, sizeof packet, &n); while (st == DBM_OK);
        if (k->sent && st == DBM_E_TIMEOUT) return DBM_STEP_READ;
    }
    dbm__net_close(k->fd);
#endif
    k->active = false;
    return DBM_STEP_DONE;
}

/* Of any thread. */
static void dbm__pg_cancel(dbm_connection *c) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    dbm__pg_kill k;
    dbm_step want;
    if (q == NULL) return;
    dbm__store(&q->cancelled, 1);
    dbm__pg_kill_begin(q, &k);
    while ((want = dbm__pg_kill_step(q, &k)) != DBM_STEP_DONE) {
        if (want == DBM_STEP_TIMER) dbm__sleep_us(2000);
        else (void)dbm__net_wait(q->owner->host, k.fd, (int)want, k.until_us);
    }
}

/* ---- how operations end ------------------------------------------------------------------------------------------- */

/* False: the operation goes on. */
static bool dbm__pg_execute_failed(dbm__pg *q, bool began) {
    dbm__pg_statement *s = q->main;
    const char *state = dbm__pg_or_empty(dbm__pg_said(q, PG_DIAG_SQLSTATE));
    bool named = q->named_run && !q->of_pipeline, stale = named && dbm__pg_is_stale(state, dbm__pg_said(q, PG_DIAG_SOURCE_FUNCTION));
    bool misfit = named && !q->bound && (strncmp(state, "22", 2) == 0 || strncmp(state, "42", 2) == 0); /* a value, or a column, and the type that the parameter had */
    s->cursor = 0;
    if ((stale || misfit) && PQstatus(q->conn) != CONNECTION_BAD) {
        dbm__pg_unkeep(q, s, s->kept && strcmp(state, "26000") != 0);
        if (!q->retried && (q->tx == DBM__PG_TX_NONE || began)) { /* nothing came before it: all of it is sent again */
            q->retried = true;
            dbm__pg_failure_drop(q);
            if (began && q->tx == DBM__PG_TX_OPEN) {
                dbm__pg_add(q, &q->sent, DBM__PG_ROLLBACK, 0);
                dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
                q->tx = DBM__PG_TX_QUEUED;
            }
            dbm__pg_result_begin(s);
            dbm__pg_res(s, NULL);
            if (dbm__pg_encode(q, q->op) != DBM_OK) return dbm__pg_over(q, DBM_E_NOMEM);
            dbm__pg_push_run(q);
            return q->local;
        }
    }
    q->outcome = dbm__pg_refused(q);
    if (stale) dbm_adapter_fail_retryable(q->c);
    return true;
}

static void dbm__pg_row_width(dbm__pg_statement *s) {
    size_t size = 0;
    int i;
    if (s->rows <= 0) return;
    if (s->in.data == NULL && s->rows == 1) for (i = 0; i < s->columns; i++) size += (size_t)PQgetlength(s->res, 0, i) + 16;
    else size = (s->in.data != NULL ? s->in.at - s->in.row : PQresultMemorySize(s->res)) / (size_t)s->rows;
    if (size + 32 > (size_t)s->row_size) s->row_size = (int)size + 32;
}

/* A FETCH was answered: what follows it. */
static void dbm__pg_batch_done(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_row_width(s);
    if (s->total - s->fetched < s->fetch) {
        s->ended = true;
        dbm__pg_close_cursor(q, s);
    }
}

/* It has succeeded, as far as it has been read. */
static void dbm__pg_execute_done(dbm__pg *q, dbm__pg_statement *s, int how) {
    dbm_op *op = q->op;
    op->ended = q->was_open && q->tx == DBM__PG_TX_NONE;
    s->seen = true;
    if (DBM__UNLIKELY(s->moves)) dbm__pg_moved(q);
    s->live = how == DBM__PG_ROW;
    if (s->res == NULL && s->in.data == NULL) { /* it has no rows */
        if (q->named_run) s->known = s->rowless = s->kept && s->planned;
        if (s->inserts) op->last_id = op->affected == 0 ? 0 : DBM_LAST_ID_UNKNOWN;
        return;
    }
    op->result = s;
    if (s->in.data == NULL && !(s->known && q->named_run)) {
        /* Types are known for sure while the cursor lives: the batches that follow come in binary. */
        if (!dbm__pg_look_at_types(q, s, s->res, q->named_run && s->planned ? &s->binary : &s->next_binary)) {
            q->outcome = dbm__pg_no_memory(q);
            return;
        }
        if (q->named_run && s->kept && s->planned) s->known = dbm__pg_learned(s, PQcopyResult(s->res, PG_COPYRES_ATTRS));
    }
    op->columns = s->columns;
    op->row = s->rows > 0;
    if (q->cursor_run) {
        s->next_cursor = q->cursors;
        q->cursors = s;
        if (s->live) dbm__pg_row_width(s);
        else dbm__pg_batch_done(q, s);
        op->affected = -1;
    } else {
        if (!s->live) s->ended = true;
        if (!op->prepared->writes) op->affected = -1;
        op->settled = op->prepared->writes && !s->live;
    }
    if (s->inserts) op->last_id = dbm__pg_key(q, s);
}

static bool dbm__pg_execute_end(dbm__pg *q, int how) {
    dbm_op *op = q->op;
    dbm__pg_statement *s = q->main;
    int i;
    bool began = false;
    for (i = 0; i < q->wait_used; i++) if (q->wait.at[i].kind == DBM__PG_BEGIN) began = true;
    if (how == DBM__PG_ALL && dbm__pg_failed(q)) {
        bool over = dbm__pg_execute_failed(q, began);
        if (!over) return false;
    }
    dbm__pg_wait_done(q);
    if (DBM__UNLIKELY(q->before_copy) && q->outcome == DBM_OK) {
        q->before_copy = false;
        dbm__pg_add(q, &q->sent, DBM__PG_RUN, 0);
        dbm__pg_go(q);
        return q->local;
    }
    dbm__pg_room_end(q);
    op->affected = q->affected;
    if (how == DBM__PG_ROW && (q->full || q->no_memory)) { /* a write that stands alone, with more rows than can be kept */
        q->mode = DBM__PG_DROP;
        return false;
    }
    if (q->full && q->outcome == DBM_OK) {
        q->outcome = dbm__adapter_say(q->c, DBM_E_LIMIT, NULL, 0, "the statement is done, but its rows are more than row_buffer (%z bytes); run it in a transaction", op->row_buffer);
    }
    if (q->no_memory && q->outcome == DBM_OK) q->outcome = dbm__pg_no_memory(q);
    if (q->outcome == DBM_E_UNSUPPORTED) dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, "0A000", 0, "COPY from the program is not a statement: see dbm_bulk_begin; this one ended the connection");
    if (q->outcome != DBM_OK) {
        s->ended = true;
        dbm__pg_result_end(q, s);
        s->small_runs = 0;
        return true;
    }
    dbm__pg_execute_done(q, s, how);
    return true;
}

static bool dbm__pg_fetch_end(dbm__pg *q, int how) {
    dbm_op *op = q->op;
    dbm__pg_statement *s = q->main;
    if (how == DBM__PG_ROW) {
        if (s->cursor != 0) dbm__pg_row_width(s);
        return s->live = true;
    }
    if (dbm__pg_failed(q)) {
        q->outcome = dbm__pg_refused(q);
        s->live = false;
        s->ended = true;
        if (s->cursor != 0) dbm__pg_cursor_gone(q, s);
        s->rows = 0;
        return true;
    }
    if (q->wait_used != 0) q->wait.count = q->wait_used = 0;
    if (s->live && s->cursor == 0 && !s->lost) {
        s->live = false;
        s->ended = true;
        if (op->prepared != NULL && op->prepared->writes) op->affected = q->affected;
        if (s->in.data == NULL) s->rows = s->row = 0;
        return dbm__pg_over(q, s->rows > 0 ? DBM_OK : DBM_DONE);
    }
    s->live = false;
    if (!s->lost) dbm__pg_batch_done(q, s);
    if (s->rows == 0 && !s->ended) { /* the batch had no more */
        dbm__pg_start_fetch(q, op);
        return q->local;
    }
    return dbm__pg_over(q, s->rows > 0 ? DBM_OK : DBM_DONE);
}

/* All that was under way is put aside. A cursor may bring more. */
static bool dbm__pg_hold_end(dbm__pg *q) {
    dbm__pg_statement *s = q->main;
    s->live = false;
    if (dbm__pg_failed(q)) {
        q->outcome = dbm__pg_refused(q);
        s->ended = true;
        if (s->cursor != 0) dbm__pg_cursor_gone(q, s);
        return true;
    }
    if (s->cursor == 0) s->ended = !s->lost;
    else dbm__pg_batch_done(q, s);
    return dbm__pg_over(q, s->ended ? DBM_OK : DBM_DONE);
}

static bool dbm__pg_commit_end(dbm__pg *q) {
    dbm_op *op = q->op;
    if (dbm__pg_failed(q)) {
        if (op->kind == DBM_OP_ROLLBACK && !q->retried && strcmp(dbm__pg_or_empty(dbm__pg_said(q, PG_DIAG_SQLSTATE)), "57014") == 0) { /* a cancel that came late */
            q->retried = true;
            dbm__pg_failure_drop(q);
            dbm__pg_add(q, &q->sent, DBM__PG_ROLLBACK, 0);
            dbm__pg_go(q);
            return q->local;
        }
        q->outcome = dbm__pg_refused(q);
        if (op->kind == DBM_OP_COMMIT) q->wait.count = q->wait_used = 0;
        return true;
    }
    if (q->outcome == DBM_E_ROLLED_BACK) {
        dbm__adapter_say(q->c, DBM_E_ROLLED_BACK, "25P02", 0, "the transaction had failed before, so the server rolled it back at COMMIT; nothing was kept");
    }
    dbm__pg_transaction_over(q);
    return true;
}

/* Several statements by the simple protocol, which the pipeline does not speak: it is left for as long as that takes. */
static bool dbm__pg_script_end(dbm__pg *q) {
    dbm_op *op = q->op;
    PGresult *res;
    if (q->error != NULL) {
        q->outcome = dbm__pg_refused(q);
        goto back;
    }
    if (q->wait_used != 0) q->wait.count = q->wait_used = 0;
    if (q->state == DBM__PG_READY) {
        if (!dbm__pg_pipe(q, false)) return dbm__pg_over(q, dbm__pg_lost(q));
        q->state = DBM__PG_NATIVE_USE;
        if (op->kind == DBM_OP_NATIVE) {
            (void)PQsetnonblocking(q->conn, 0);
            op->native = q->conn;
            return true;
        }
        if (PQsendQuery(q->conn, op->sql) != 1) return dbm__pg_over(q, dbm__pg_lost(q));
        q->fresh = true;
        return false;
    }
    while (!PQisBusy(q->conn)) {
        res = PQgetResult(q->conn);
        if (res == NULL) {
            if (PQstatus(q->conn) == CONNECTION_BAD) q->outcome = dbm__pg_lost(q);
            else if (q->error != NULL) q->outcome = dbm__pg_refused(q);
            goto back;
        }
        switch ((int)PQresultStatus(res)) {
        case PGRES_FATAL_ERROR: case PGRES_BAD_RESPONSE:
            if (q->error == NULL) {
                q->error = res;
                continue;
            }
            break;
        case PGRES_COPY_IN: case PGRES_COPY_OUT: case PGRES_COPY_BOTH:
            PQclear(res);
            dbm_adapter_broken(q->c);
            return dbm__pg_over(q, dbm__adapter_say(q->c, DBM_E_UNSUPPORTED, "0A000", 0, "COPY from or to the program can't be part of a script; see dbm_bulk_begin, and dbm_query for COPY ... TO STDOUT"));
        default: break;
        }
        PQclear(res);
    }
    return false;
back:
    if (q->state == DBM__PG_NATIVE_USE && PQstatus(q->conn) != CONNECTION_BAD && dbm__pg_return_from_native(q) != DBM__PG_ALL) q->outcome = dbm__pg_lost(q);
    return true;
}

static bool dbm__pg_bulk_end(dbm__pg *q, int how) {
    dbm_op *op = q->op;
    if (how == DBM__PG_ROW) return true; /* the server takes rows */
    if (q->each != NULL) return dbm__pg_each_end(q);
    dbm__pg_wait_done(q);
    op->affected = q->affected;
    if (q->error != NULL && !q->no_memory) {
        if (op->bulk->abandon && PQstatus(q->conn) != CONNECTION_BAD) return true;
        q->outcome = dbm__pg_refused(q);
        dbm__pg_copy_blame(q->copy, PQresultErrorField(q->error, PG_DIAG_CONTEXT));
    } else if (q->no_memory) {
        q->outcome = dbm__pg_no_memory(q);
    } else if (op->kind == DBM_OP_BULK) {
        dbm__pg_add(q, &q->sent, DBM__PG_COPY, 0);
        dbm__pg_go(q);
        return q->local;
    }
    return true;
}

/* One of the pipeline has failed, and so has this operation. */
static void dbm__pg_pipeline_failed(dbm__pg *q) {
    dbm__pg_failure_drop(q);
    q->error = q->sent_error;
    q->fault = q->sent_fault;
    q->sent_error = NULL;
    q->sent_fault = NULL;
    q->of_pipeline = true;
    q->cursor_run = false;
}

/* The answers were read as far as `how` says. False: there is more to be waited for. */
static bool dbm__pg_end(dbm__pg *q, int how) {
    dbm_op *op = q->op;
    if (how == DBM__PG_ALL && DBM__UNLIKELY(dbm__pg_sent_failed(q))) dbm__pg_pipeline_failed(q);
    switch (op->kind) {
    case DBM_OP_EXECUTE: return dbm__pg_execute_end(q, how);
    case DBM_OP_FETCH: return dbm__pg_fetch_end(q, how);
    case DBM_OP_HOLD:
        if (how == DBM__PG_ROW) return dbm__pg_over(q, q->no_memory ? dbm__pg_no_memory(q) : dbm__adapter_say(q->c, DBM_E_LIMIT, NULL, 0, "they are more than row_buffer (%z bytes)", op->row_buffer));
        return dbm__pg_hold_end(q);
    case DBM_OP_FINISH:
        q->main->live = false;
        q->main->total += q->dropped;
        if (dbm__pg_failed(q) && PQstatus(q->conn) == CONNECTION_BAD) dbm_adapter_broken(q->c);
        dbm__pg_result_end(q, q->main);
        return true;
    case DBM_OP_COMMIT: case DBM_OP_ROLLBACK: return dbm__pg_commit_end(q);
    case DBM_OP_SCRIPT: case DBM_OP_NATIVE: case DBM_OP_LISTEN: return dbm__pg_script_end(q);
    case DBM_OP_PING: case DBM_OP_RESET:
        if (q->error != NULL) q->outcome = dbm__pg_refused(q);
        return true;
    case DBM_OP_BULK: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END: return dbm__pg_bulk_end(q, how);
    case DBM_OP_CONNECT: case DBM_OP_BEGIN: case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: case DBM_OP_PREPARE:
    case DBM_OP_UNPREPARE: case DBM_OP_COMMAND:
    case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_NOTIFIED: case DBM__OP_SIGNED: break;
    }
    return true;
}

static dbm_step dbm__pg_done(dbm__pg *q) {
    dbm_op *op = q->op;
    op->status = q->outcome;
    if (DBM__UNLIKELY(q->answered != 0 || q->of_pipeline)) {
        op->answered = q->answered;
        op->sent_affected = q->sent_affected;
        op->sent_last_id = q->sent_last_id;
        op->of_pipeline = q->of_pipeline;
        q->answered = 0;
        q->sent_affected = q->sent_last_id = -1;
        q->of_pipeline = false;
    }
    q->op = NULL;
    if (DBM__UNLIKELY(q->copy != NULL || q->each != NULL) && (op->kind == DBM_OP_BULK_END || (op->kind == DBM_OP_BULK && q->outcome != DBM_OK))) {
        if (q->each != NULL && op->kind == DBM_OP_BULK_END) op->affected = q->each->written;
        dbm__pg_each_free(q);
        dbm__pg_copy_free(q->copy);
        q->copy = NULL;
        q->copying = false;
        op->bulk->data = NULL;
    }
    return DBM_STEP_DONE;
}
static dbm_step dbm__pg_done_as(dbm__pg *q, dbm_status status) {
    q->outcome = status;
    return dbm__pg_done(q);
}

/* Whether the server has said something that ends a COPY. libpq reads nothing but notices before the program has told the end of it, so the first byte
 * that has come is looked at; where that can't be, or was something else, an error is heard of at the end. */
static bool dbm__pg_copy_answered(dbm__pg *q) {
    if (dbm__net_peek(PQsocket(q->conn)) == DBM_OK) return false;
#if DBM__PG_POSIX
    char byte = 0;
    if (!q->copy_blind && !q->tls && recv(PQsocket(q->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && byte == 'E') return true;
#endif
    q->copy_blind = true;
    return PQconsumeInput(q->conn) != 1;
}

/* Rows of a bulk go out as the socket takes them. True: *step says how the operation goes on. False: the end was told, and the answer is read as any
 * other. */
static bool dbm__pg_copy_step(dbm__pg *q, dbm_step *step) {
    dbm_op *op = q->op;
    const char *why = op->bulk->abandon ? "the bulk was abandoned" : dbm__load(&q->cancelled) != 0 ? "the bulk was cancelled" : q->no_memory ? "no memory" :
                      dbm__pg_copy_answered(q) ? "the bulk has failed" : NULL;
    int put = 1, unsent = 0;
    while (why == NULL && put > 0 && unsent == 0) {
        put = dbm__pg_copy_put(q->copy, q->conn);
        unsent = PQflush(q->conn);
        if (put == -2 && unsent == 0) { /* libpq has no memory for it */
            why = "no memory";
            q->no_memory = true;
        } else if (put == -2) put = 1;
    }
    if (why == NULL && (put < 0 || unsent < 0)) why = "the bulk has failed"; /* the connection: what the server has said at last is read below */
    if (why == NULL && unsent > 0) {
        op->fd = PQsocket(q->conn);
        q->fresh = false;
        *step = DBM_STEP_BOTH;
        return true;
    }
    if (why == NULL && op->kind == DBM_OP_BULK_SEND) {
        *step = dbm__pg_done(q);
        return true;
    }
    q->copying = false;
    q->copy_tail = true;
    if (PQputCopyEnd(q->conn, why) != 0) return false;
    q->outcome = dbm__pg_lost(q);
    *step = dbm__pg_done(q);
    return true;
}

static dbm_step dbm__pg_connect_step(dbm_connection *c, dbm_op *op);

static dbm_step dbm__pg_step_on(dbm_connection *c, dbm__pg *q, dbm_op *op) {
    int how, unsent;
    dbm_step step;
    bool stirred = false; /* under TLS, where a part of a record may lie in libpq, unseen by poll: look again soon after something has come */
    if (op->kind == DBM_OP_CONNECT) return op->state != NULL ? DBM_STEP_DONE : dbm__pg_connect_step(c, op);
    if (DBM__UNLIKELY(op->kind == DBM_OP_NOTIFIED)) return dbm__pg_notified(q, op);
    if (q->local) return dbm__pg_done(q);
    if (DBM__UNLIKELY(q->copying) && dbm__pg_copy_step(q, &step)) return step;
lane:
    if (DBM__LIKELY(q->lane)) {
        how = dbm__pg_lane_step(q);
        if (how == DBM__PG_WAITS) {
            op->fd = q->fd;
            return q->out_at != q->out_end ? DBM_STEP_BOTH : DBM_STEP_READ;
        }
        goto answered;
    }
    if (DBM__UNLIKELY(q->before >= DBM__PG_OWED)) {
        if (q->before == DBM__PG_OWED) how = dbm__pg_lane_read(q, &q->in);
        else how = PQconsumeInput(q->conn) == 1 ? dbm__pg_return_from_native(q) : DBM__PG_DEAD;
        if (how == DBM__PG_WAITS) {
            op->fd = q->fd;
            return DBM_STEP_READ;
        }
        if (how == DBM__PG_DEAD) dbm__pg_end_local(q, dbm__pg_lost(q));
        else dbm__pg_start_now(q, op);
        q->before = DBM__PG_GO;
        if (q->local) return dbm__pg_done(q);
        if (q->lane) goto lane;
    }
    if (DBM__UNLIKELY(q->before != DBM__PG_GO || (op->kind == DBM_OP_EXECUTE && op->no_wait && op->queued))) {
        if (q->ours) (void)dbm__pg_flush(q);
        how = !q->fresh && !q->ours && PQconsumeInput(q->conn) != 1 ? DBM__PG_DEAD : dbm__pg_answers(q);
        stirred = q->tls;
        if (q->before == DBM__PG_ROOM && (dbm__pg_sent_failed(q) || (q->ours && q->skipping)) && how != DBM__PG_DEAD) {
            dbm__pg_drain(q, DBM__PG_DRAIN);
            (void)dbm__pg_flush(q);
            how = dbm__pg_answers(q);
        }
        if (q->before == DBM__PG_REPLY && q->ready != NULL && !q->local) {
            (void)dbm__pg_received(q);
            return dbm__pg_done(q);
        }
        if (!q->local && (how == DBM__PG_DEAD || (q->before == DBM__PG_REPLY && how == DBM__PG_ALL))) dbm__pg_end_local(q, dbm__pg_lost(q));
        if (q->local) return dbm__pg_done(q);
        if (q->before == DBM__PG_GO) goto wait; /* queued: the rest of it is written */
        if (q->before == DBM__PG_ROOM ? q->unanswered > DBM_PIPELINE_MAX / 2 : how != DBM__PG_ALL) goto wait;
        q->before = DBM__PG_GO;
        if (dbm__pg_sent_failed(q)) {
            dbm__pg_pipeline_failed(q);
            return dbm__pg_done_as(q, dbm__pg_refused(q));
        }
        if (op->kind != DBM_OP_EXECUTE || op->no_wait || !dbm__pg_lane_start(q, op)) dbm__pg_start_now(q, op);
        if (q->local) return dbm__pg_done(q);
        if (q->lane) goto lane;
        if (op->queued) goto wait;
    }
    stirred = !q->fresh && q->tls && dbm__net_peek(PQsocket(q->conn)) != DBM_OK;
    if (!q->fresh && !q->ours && PQconsumeInput(q->conn) != 1) {
        how = dbm__pg_answers(q); /* what had come before it died */
        if (how != DBM__PG_ROW && !(how == DBM__PG_ALL && q->error == NULL && q->state == DBM__PG_READY)) how = DBM__PG_DEAD;
    } else {
        how = dbm__pg_answers(q);
    }
answered:
    for (;;) {
        if (how == DBM__PG_DEAD || (q->poisoned && how == DBM__PG_ALL)) {
            q->outcome = dbm__pg_lost(q);
            if (q->main != NULL && (op->kind == DBM_OP_FINISH || op->kind == DBM_OP_EXECUTE)) {
                q->main->cursor = 0;
                dbm__pg_result_end(q, q->main);
            }
            return dbm__pg_done(q);
        }
        if (how != DBM__PG_WAITS) {
            if (DBM__UNLIKELY(q->copy_tail) && PQflush(q->conn) > 0) { /* the server has failed it early: what goes past libpq must not come amid what it still has */
                op->fd = PQsocket(q->conn);
                q->fresh = false;
                return DBM_STEP_BOTH;
            }
            q->copy_tail = false;
            if (dbm__pg_end(q, how) || q->local) return dbm__pg_done(q);
            if (q->lane) goto lane;
            if (q->state == DBM__PG_NATIVE_USE) break; /* a script runs */
            how = dbm__pg_answers(q);
            if (how != DBM__PG_WAITS) continue;
        }
        break;
    }
wait:
    unsent = dbm__pg_flush(q);
    if (unsent < 0) return dbm__pg_done_as(q, dbm__pg_lost(q));
    if (unsent == 0 && op->no_wait && DBM__PG_PIPELINE && (op->kind == DBM_OP_COMMIT ? q->tx == DBM__PG_TX_NONE : q->before == DBM__PG_GO && op->queued)) return dbm__pg_done(q);
    op->fd = PQsocket(q->conn);
    q->fresh = false;
    if (stirred) op->wake_us = dbm_adapter_clock(q->owner) + 20000;
    return unsent != 0 ? DBM_STEP_BOTH : DBM_STEP_READ;
}

/* A cancel of our own goes on beside the operation, and must have come to its end before the next one begins. */
static dbm_step dbm__pg_kill_beside(dbm__pg *q, dbm_op *op, dbm_step step) {
    dbm_step want;
    if (!q->killed && step != DBM_STEP_DONE) {
        q->killed = true;
        if (op->stop) dbm__store(&q->cancelled, 1);
        dbm__pg_kill_begin(q, &q->kill);
        if (op->kind == DBM_OP_RECEIVE) q->kill.until_us += 9 * DBM__PG_CANCEL_US; /* there are others on the connection */
    }
    want = dbm__pg_kill_step(q, &q->kill);
    q->ended = step == DBM_STEP_DONE && want != DBM_STEP_DONE;
    if (want == DBM_STEP_DONE) {
        if (q->kill.late && step == DBM_STEP_DONE) dbm_adapter_broken(q->c);
        return step;
    }
    if (!q->ended || want == DBM_STEP_TIMER) {
        op->wake_us = dbm_adapter_clock(q->owner) + 2000;
        return q->ended ? DBM_STEP_TIMER : step;
    }
    op->fd = q->kill.fd;
    op->wake_us = q->kill.until_us;
    return want;
}

static dbm_step dbm__pg_step(dbm_connection *c, dbm_op *op) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    dbm_step step = op->kind != DBM_OP_CONNECT && q->ended ? DBM_STEP_DONE : dbm__pg_step_on(c, q, op);
    if (op->kind == DBM_OP_CONNECT || DBM__LIKELY(step == DBM_STEP_DONE && !q->kill.active)) return step;
    /* Rows that the server has yet to undo would be a long time coming to their end. */
    if (op->kind == DBM_OP_BULK_END && op->bulk->abandon && !q->killed) {
        int64_t now = dbm_adapter_clock(q->owner);
        if (q->patience_us == 0) q->patience_us = now + 50000;
        if (now >= q->patience_us) return dbm__pg_kill_beside(q, op, step);
        op->wake_us = q->patience_us;
    }
    /* Nothing of a read that stands alone is lost by a cancel. */
    if (!op->stop && !q->killed && !(op->kind == DBM_OP_FINISH && q->tx == DBM__PG_TX_NONE && q->dropped > 1000)) return step;
    return dbm__pg_kill_beside(q, op, step);
}

/* ---- columns ------------------------------------------------------------------------------------------------------ */

/* What timestamp and timestamptz look like with DateStyle ISO. False: it is something else, `infinity` among it. Years before Christ and beyond 9999 are
 * read as those which are like them in the calendar of 400 years. */
static bool dbm__pg_read_timestamp(const char *at, size_t size, int64_t *us) {
    char block[40];
    int64_t year = 0, like;
    for (; size > 0 && *at >= '0' && *at <= '9' && year < 1000000; at++, size--) year = year * 10 + (*at - '0');
    if (size > 3 && memcmp(at + size - 3, " BC", 3) == 0) {
        year = 1 - year;
        size -= 3;
    }
    like = 2000 + (year % 400 + 400) % 400;
    if (size > 35 || year > DBM__PG_LAST_YEAR) return false;
    memcpy(dbm__put_digits(block, 0, like, 4), at, size);
    if (!dbm__timestamp_read(block, size + 4, us)) return false;
    *us += (year - like) / 400 * 146097 * INT64_C(86400000000);
    return true;
}

static dbm__pg_text *dbm__pg_text_of(dbm__pg *q, dbm__pg_statement *s, int i, bool *made) {
    dbm__pg_text *t;
    if (s->texts == NULL) {
        int n = s->columns;
        s->texts = (dbm__pg_text *)dbm_adapter_alloc(q->owner, (size_t)n * sizeof *s->texts);
        if (s->texts == NULL) return NULL;
        memset(s->texts, 0, (size_t)n * sizeof *s->texts);
        s->texts_count = n;
        if (s->serial == 0) s->serial = 1; /* 0 is of no row */
    }
    t = &s->texts[i];
    *made = t->serial == s->serial;
    t->serial = s->serial;
    return t;
}

/* A bytea's text, in either of the forms that bytea_output has; never longer than that text. Ends it with a NUL. */
DBM__FN size_t dbm__pg_bytes(const char *data, size_t size, char *out) {
    char *at = out;
    size_t i;
    if (size >= 2 && data[0] == '\\' && data[1] == 'x') {
        for (i = 2; i + 1 < size; i += 2) *at++ = (char)(dbm__hex(data[i]) * 16 + dbm__hex(data[i + 1]));
    } else {
        for (i = 0; i < size; i++) {
            if (data[i] == '\\' && i + 3 < size && data[i + 1] != '\\') {
                *at++ = (char)((data[i + 1] - '0') * 64 + (data[i + 2] - '0') * 8 + (data[i + 3] - '0'));
                i += 3;
            } else {
                if (data[i] == '\\') i++;
                *at++ = data[i];
            }
        }
    }
    *at = '\0';
    return (size_t)(at - out);
}

static int64_t dbm__pg_get64(const char *data) { return (int64_t)((uint64_t)dbm__pg_get32(data) << 32 | dbm__pg_get32(data + 4)); }

static dbm_status dbm__pg_column_text(dbm__pg *q, dbm__pg_statement *s, int i, Oid type, const char *data, size_t size, dbm_value *out) {
    static const char digits[] = "0123456789abcdef";
    bool made;
    dbm__pg_text *text = dbm__pg_text_of(q, s, i, &made);
    if (text == NULL) return dbm__pg_no_memory(q);
    if (!made) {
        text->data = text->block;
        if (type == DBM__PG_UUID) {
            char *at = text->block;
            for (size = 0; size < 16; size++) {
                if (size == 4 || size == 6 || size == 8 || size == 10) *at++ = '-';
                *at++ = digits[(unsigned char)data[size] >> 4];
                *at++ = digits[data[size] & 15];
            }
            *at = '\0';
            text->size = 36;
        } else if (type == DBM__PG_DATE) {
            int64_t days = (int64_t)(int32_t)dbm__pg_get32(data) + 10957, era = (days >= 0 ? days : days - 146096) / 146097; /* of 400 years, all alike */
            dbm__calendar c;
            dbm__calendar_of((days - era * 146097) * INT64_C(86400000000), &c);
            c.year += era * 400;
            if (days == INT32_MAX + INT64_C(10957)) memcpy(text->block, "infinity", 9);
            else if (days == INT32_MIN + INT64_C(10957)) memcpy(text->block, "-infinity", 10);
            else (void)dbm__pg_put_era(dbm__pg_put_date(text->block, &c), &c, text->block);
            text->size = strlen(text->block);
        } else {
            char *bytes = (char *)dbm_adapter_alloc(q->owner, size + 1);
            if (bytes == NULL) {
                text->serial = 0;
                return dbm__pg_no_memory(q);
            }
            text->owned = bytes;
            text->data = bytes;
            text->size = dbm__pg_bytes(data, size, bytes);
        }
    }
    out->type = type == DBM__PG_UUID ? DBM_TYPE_UUID : type == DBM__PG_BYTEA ? DBM_TYPE_BLOB : DBM_TYPE_TEXT;
    out->as.text.data = text->data;
    out->as.text.size = text->size;
    return DBM_OK;
}

static void dbm__pg_plain(dbm_value *out, dbm_type type, const char *data, size_t size) {
    out->type = type;
    out->as.text.data = data;
    out->as.text.size = size;
}

static dbm_status dbm__pg_too_late(dbm__pg *q, int i) {
    return dbm__adapter_say(q->c, DBM_E_RANGE, "22008", 0, "column %d is a time after the year %d, which microseconds since 1970 can't tell", i, (int)DBM__PG_LAST_YEAR);
}

static dbm_status dbm__pg_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->result;
    dbm__pg *q = s->q;
    const char *data;
    size_t size;
    Oid type = s->types[i];
    (void)c;
    out->name = NULL;
    out->type = DBM_TYPE_NULL;
    out->as.integer = 0;
    if (DBM__LIKELY(s->cells != NULL)) {
        if (s->cells[i].size < 0) return DBM_OK;
        data = s->cells[i].data;
        size = (size_t)s->cells[i].size;
    } else {
        data = PQgetvalue(s->res, s->row, i);
        size = (size_t)PQgetlength(s->res, s->row, i);
        if (size == 0 && PQgetisnull(s->res, s->row, i)) return DBM_OK;
    }
    switch ((int)type) {
    case DBM__PG_INT4: case DBM__PG_INT8: case DBM__PG_INT2: case DBM__PG_OID:
        out->type = DBM_TYPE_INT;
        out->as.integer = !s->binary_rows ? dbm__pg_read_int(data) : type == DBM__PG_INT4 ? (int64_t)(int32_t)dbm__pg_get32(data)
                        : type == DBM__PG_INT8 ? dbm__pg_get64(data) : type == DBM__PG_OID ? (int64_t)dbm__pg_get32(data)
                        : (int64_t)(int16_t)((unsigned char)data[0] << 8 | (unsigned char)data[1]);
        return DBM_OK;
    case DBM__PG_BOOL:
        out->type = DBM_TYPE_BOOL;
        out->as.integer = s->binary_rows ? data[0] != 0 : data[0] == 't';
        return DBM_OK;
    case DBM__PG_FLOAT8: case DBM__PG_FLOAT4:
        out->type = DBM_TYPE_DOUBLE;
        if (s->binary_rows && type == DBM__PG_FLOAT8) {
            int64_t bits = dbm__pg_get64(data);
            memcpy(&out->as.real, &bits, sizeof out->as.real);
        } else if (s->binary_rows) {
            uint32_t bits = dbm__pg_get32(data);
            float single;
            memcpy(&single, &bits, sizeof single);
            out->as.real = (double)single;
        } else {
            const char *word = data[0] == 'N' ? "nan" : data[0] == 'I' ? "inf" : data[0] == '-' && data[1] == 'I' ? "-inf" : data;
            if (!dbm__double_read(word, word == data ? size : strlen(word), &out->as.real)) dbm__pg_plain(out, DBM_TYPE_TEXT, data, size);
            else if (type == DBM__PG_FLOAT4) out->as.real = (double)(float)out->as.real;
        }
        return DBM_OK;
    case DBM__PG_TIMESTAMP: case DBM__PG_TIMESTAMPTZ: /* infinity is no time: it is a text */
        if (s->binary_rows) {
            int64_t us = dbm__pg_get64(data);
            if (us == INT64_MAX) dbm__pg_plain(out, DBM_TYPE_TEXT, "infinity", 8);
            else if (us == INT64_MIN) dbm__pg_plain(out, DBM_TYPE_TEXT, "-infinity", 9);
            else if (us >= dbm__days_of(DBM__PG_LAST_YEAR + 1, 1, 1) * INT64_C(86400000000) - DBM__PG_EPOCH) return dbm__pg_too_late(q, i);
            else {
                out->type = DBM_TYPE_TIMESTAMP;
                out->as.integer = us + DBM__PG_EPOCH;
            }
            return DBM_OK;
        }
        if (dbm__pg_read_timestamp(data, size, &out->as.integer)) out->type = DBM_TYPE_TIMESTAMP;
        else if (data[0] == 'i' || data[0] == '-') dbm__pg_plain(out, DBM_TYPE_TEXT, data, size);
        else if (size > 6 && data[6] == '-') return dbm__pg_too_late(q, i);
        else dbm__pg_plain(out, DBM_TYPE_TEXT, data, size); /* the program has set another DateStyle */
        return DBM_OK;
    case DBM__PG_BYTEA:
        if (!s->binary_rows) return dbm__pg_column_text(q, s, i, type, data, size, out);
        dbm__pg_plain(out, DBM_TYPE_BLOB, data, size);
        return DBM_OK;
    case DBM__PG_UUID:
        if (s->binary_rows) return dbm__pg_column_text(q, s, i, type, data, size, out);
        dbm__pg_plain(out, DBM_TYPE_UUID, data, size);
        return DBM_OK;
    case DBM__PG_DATE:
        if (s->binary_rows) return dbm__pg_column_text(q, s, i, type, data, size, out);
        break;
    case DBM__PG_NUMERIC: dbm__pg_plain(out, DBM_TYPE_DECIMAL, data, size); return DBM_OK;
    case DBM__PG_JSON: dbm__pg_plain(out, DBM_TYPE_JSON, data, size); return DBM_OK;
    case DBM__PG_JSONB:
        if (s->binary_rows && size > 0) { /* a version comes first */
            data++;
            size--;
        }
        dbm__pg_plain(out, DBM_TYPE_JSON, data, size);
        return DBM_OK;
    default: break;
    }
    dbm__pg_plain(out, DBM_TYPE_TEXT, data, size);
    return DBM_OK;
}

static const char *dbm__pg_column_name(dbm_connection *c, dbm_op *op, int i) {
    const dbm__pg_statement *s = (const dbm__pg_statement *)op->result;
    (void)c;
    return PQfname(s->res != NULL ? s->res : s->about->res, i);
}

/* The first column of RETURNING, when it is a number. */
static int64_t dbm__pg_key(dbm__pg *q, dbm__pg_statement *s) {
    dbm_op look;
    dbm_value v;
    if (s->rows == 0) return 0;
    memset(&look, 0, sizeof look);
    look.result = s;
    return s->columns == 0 || dbm__pg_column(q->c, &look, 0, &v) != DBM_OK || v.type != DBM_TYPE_INT ? DBM_LAST_ID_UNKNOWN : v.as.integer;
}

/* ---- connections ---------------------------------------------------------------------------------------------------- */

static void dbm__pg_notice(void *ud, const PGresult *res) {
    const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    dbm__pg_noticed((dbm__pg *)ud, PQresultErrorField(res, PG_DIAG_SEVERITY), primary != NULL ? primary : PQresultErrorMessage(res),
                    PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL));
}

#if DBM__PG_CANCEL_KEY
/* libpq 14 to 16 tell the process and not the key that a cancel needs; but its trace shows both. The trace is read once and wiped. */
static void dbm__pg_trace_begin(dbm__pg *q) {
    q->trace = open_memstream(&q->trace_text, &q->trace_size);
    if (q->trace == NULL) return;
    PQtrace(q->conn, q->trace);
    PQsetTraceFlags(q->conn, PQTRACE_SUPPRESS_TIMESTAMPS);
}

static void dbm__pg_trace_end(dbm__pg *q, bool read) {
    if (q->trace == NULL) return;
    if (q->conn != NULL) PQuntrace(q->conn);
    (void)fclose(q->trace);
    q->trace = NULL;
    if (q->trace_text == NULL) return;
    if (read) {
        const char *at = strstr(q->trace_text, "BackendKeyData");
        char *end = NULL;
        if (at != NULL) q->pid = (int)strtol(at + sizeof "BackendKeyData" - 1, &end, 10);
        if (at != NULL) q->key = (int)strtol(end, NULL, 10);
        q->has_key = at != NULL && q->pid == PQbackendPID(q->conn);
    }
    dbm__wipe(q->trace_text, q->trace_size);
    free(q->trace_text);
    q->trace_text = NULL;
}
#else
static void dbm__pg_trace_begin(dbm__pg *q) { (void)q; }
static void dbm__pg_trace_end(dbm__pg *q, bool read) { (void)q; (void)read; }
#endif

static void dbm__pg_free(dbm__pg *q) {
    dbm_database *db = q->owner;
    int i;
    dbm__pg_trace_end(q, false);
    q->kill.until_us = 0;
    (void)dbm__pg_kill_step(q, &q->kill);
    dbm__pg_failure_drop(q);
    PQfreemem(q->told);
    dbm_adapter_free(db, q->listen);
    dbm__pg_copy_free(q->copy);
    dbm__pg_each_free(q);
    PQclear(q->sent_error);
    dbm_adapter_free(db, q->sent_fault);
    for (i = q->sent.head - dbm__pg_sent_alone(q); i < q->sent.count; i++) {
        if (q->sent.at[i].kind == DBM__PG_SENT && (q->sent.at[i].number & DBM__PG_REPLY_TO) != 0) dbm__pg_reply_free(q, q->sent.at[i].s); /* statements are gone by now */
    }
    dbm__pg_replies_drop(q);
    while (q->spare != NULL) {
        dbm__pg_statement *r = q->spare;
        q->spare = r->next_cursor;
        dbm_adapter_free(db, r->in.data);
        dbm_adapter_free(db, r->block);
        dbm_adapter_free(db, r);
    }
    if (q->conn != NULL) PQfinish(q->conn);
    dbm_adapter_free(db, q->sent.at);
    dbm_adapter_free(db, q->wait.at);
    dbm_adapter_free(db, q->closes.at);
    dbm_adapter_free(db, q->drops.at);
    dbm_adapter_free(db, q->spare_chunk);
    dbm_adapter_free(db, q->block);
    dbm_adapter_free(db, q->in.data);
    dbm_adapter_free(db, q->out);
    dbm_adapter_free(db, (void *)q->params);
    dbm_adapter_free(db, q);
}

/* The `n`-th of a list with commas. */
static const char *dbm__pg_nth(const char *list, int n) {
    for (; n > 0 && list != NULL; n--) {
        list = strchr(list, ',');
        if (list != NULL) list++;
    }
    return list;
}

/* Begins a connect, with the hosts from q->host on. Where there are several, each has its share of the time: libpq itself would wait for the
 * first one as long as the system does. */
static dbm_status dbm__pg_connect_begin(dbm__pg *q, dbm_op *op) {
    const dbm__pg_base *base = q->base;
    dbm_credentials who;
    const char **values;
    dbm_status status = dbm_adapter_credentials(q->c, &who);
    int64_t now;
    int left = base->host_count - q->host;
    if (status != DBM_OK) return status;
    values = (const char **)dbm_adapter_alloc(q->owner, ((size_t)base->count + 1) * sizeof *values);
    if (values == NULL) return dbm__pg_no_memory(q);
    memcpy((void *)values, (const void *)base->values, ((size_t)base->count + 1) * sizeof *values);
    values[0] = who.user;
    values[1] = who.password;
    values[2] = dbm__pg_nth(base->hosts, q->host);
    values[3] = dbm__pg_nth(base->ports, q->host);
    if (q->conn != NULL) PQfinish(q->conn);
    q->conn = PQconnectStartParams(base->keys, values, base->dsn);
    dbm_adapter_free(q->owner, (void *)values);
    if (q->conn == NULL) return dbm__pg_no_memory(q);
    q->state = DBM__PG_CONNECTING;
    q->ssl_phase = false;
    (void)PQsetErrorVerbosity(q->conn, PQERRORS_VERBOSE); /* so that SQLSTATE is in the text, which is all that a failed connect gives */
    (void)PQsetNoticeReceiver(q->conn, dbm__pg_notice, q);
    dbm__pg_trace_begin(q);
    q->host_until_us = INT64_MAX;
    if (left > 1 && op->deadline_us != INT64_MAX) {
        now = dbm_adapter_clock(q->owner);
        q->host_until_us = op->deadline_us > now ? now + (op->deadline_us - now) / left : now;
    }
    return DBM_OK;
}

/* libpq gives one text for a connect that failed; the server's SQLSTATE is in it when the server said no. */
static dbm_status dbm__pg_connect_failed(dbm__pg *q) {
    char said[1400], block[900], sqlstate[6] = "";
    dbm__text t = dbm__text_in(block, sizeof block);
    dbm_status status;
    const char *line, *message = PQerrorMessage(q->conn);
    bool first = true;
    dbm__copy_cut(said, sizeof said, message);
    for (line = said; *line != '\0';) {
        const char *end = strchr(line, '\n'), *p, *state = NULL;
        size_t size = end != NULL ? (size_t)(end - line) : strlen(line);
        bool place = false; /* LOCATION: function, file.c:123 */
        while (size > 0 && (*line == '\t' || *line == ' ')) { line++; size--; }
        for (p = line; p + 2 < line + size; p++) if (p[0] == '.' && p[1] == 'c' && p[2] == ':') place = true;
        for (p = line; p + 10 < line + size && state == NULL; p++) {
            int i = 0;
            if (p[0] != ':' || p[1] != ' ' || p[2] != ' ' || p[8] != ':' || p[9] != ' ') continue;
            while (i < 5 && ((p[3 + i] >= '0' && p[3 + i] <= '9') || (p[3 + i] >= 'A' && p[3 + i] <= 'Z'))) i++;
            if (i == 5) state = p;
        }
        if (!place && size > 0) {
            if (!first) dbm__put(&t, "; ");
            first = false;
            if (state != NULL) {
                memcpy(sqlstate, state + 3, 5);
                sqlstate[5] = '\0';
                dbm__put_n(&t, line, (size_t)(state - line) + 2);
                dbm__put_n(&t, state + 10, size - (size_t)(state - line) - 10);
            } else {
                dbm__put_n(&t, line, size);
            }
        }
        line += size;
        while (*line == '\n') line++;
    }
    if (first) dbm__put(&t, "the connection failed");
    dbm__text_end(&t);
    status = strncmp(sqlstate, "28", 2) == 0 || (sqlstate[0] == '\0' && PQconnectionNeedsPassword(q->conn)) ? DBM_E_AUTH
           : strcmp(sqlstate, "3D000") == 0 ? DBM_E_UNKNOWN_NAME
           : sqlstate[0] == '\0' && (q->ssl_phase || strstr(said, "SSL error") != NULL) && (strstr(said, "SSL") != NULL || strstr(said, "certificate") != NULL ||
             strstr(said, "private key") != NULL || strstr(said, "TLS") != NULL) ? DBM_E_TLS : DBM_E_CONNECT;
    status = dbm_adapter_fail(q->c, status, sqlstate[0] != '\0' ? sqlstate : "08001", 0, block);
    if (status == DBM_E_CONNECT) dbm_adapter_fail_retryable(q->c);
    return status;
}

static dbm_status dbm__pg_connect_start(dbm_connection *c, dbm_op *op) {
    dbm_database *db = dbm_adapter_database(c);
    dbm__pg *q = (dbm__pg *)dbm_adapter_alloc(db, sizeof *q);
    dbm_status status;
    if (q == NULL) return dbm_adapter_fail(c, DBM_E_NOMEM, NULL, 0, NULL);
    memset(q, 0, sizeof *q);
    q->c = c;
    q->owner = db;
    q->base = (dbm__pg_base *)dbm_adapter_db_data(db);
    status = dbm__pg_connect_begin(q, op);
    if (status == DBM_OK && PQstatus(q->conn) == CONNECTION_BAD) status = dbm__pg_connect_failed(q);
    if (status != DBM_OK) {
        dbm__pg_free(q);
        return status;
    }
    dbm_adapter_set_data(c, q);
    op->fd = PQsocket(q->conn);
    return DBM_OK;
}

static bool dbm__pg_connected(dbm__pg *q) {
    (void)PQsetErrorVerbosity(q->conn, PQERRORS_DEFAULT);
    dbm__pg_trace_end(q, true);
    if (PQsetnonblocking(q->conn, 1) != 0) return false;
#if DBM__PG_POSIX
    q->peer_size = (socklen_t)sizeof q->peer;
    if (getpeername(PQsocket(q->conn), (struct sockaddr *)(void *)&q->peer, &q->peer_size) != 0) q->has_key = false;
    if (PQhost(q->conn) != NULL && PQhost(q->conn)[0] == '/') { /* the name that the server gave it may be one of its own directory's */
        struct sockaddr_un *file = (struct sockaddr_un *)(void *)&q->peer;
        memset(file, 0, sizeof *file);
        file->sun_family = AF_UNIX;
        dbm__format(file->sun_path, sizeof file->sun_path, "%s/.s.PGSQL.%s", PQhost(q->conn), PQport(q->conn));
        q->peer_size = (socklen_t)sizeof *file;
    }
#endif
    q->salt = dbm__random(q->owner->host) ^ (uint32_t)PQbackendPID(q->conn);
    dbm__format(q->begin_name, sizeof q->begin_name, "dbm_%u_", (uint64_t)q->salt);
    q->begin_size = strlen(q->begin_name);
    q->state = DBM__PG_READY;
    q->sent_affected = q->sent_last_id = -1;
    q->tls = PQsslInUse(q->conn) != 0;
    q->fd = PQsocket(q->conn);
    q->lane_can = q->lane_on = !q->tls && !PQgssEncInUse(q->conn);
    dbm__pg_look_at_settings(q);
    return true;
}

static bool dbm__pg_local(const char *host, size_t size) {
    return size == 0 || host[0] == '/' || host[0] == '@' || dbm__same_word_n(host, size, "localhost") || dbm__same_word_n(host, size, "::1") ||
           (size >= 4 && memcmp(host, "127.", 4) == 0);
}

static dbm_step dbm__pg_connect_over(dbm__pg *q, dbm_op *op, dbm_status status) {
    op->status = status;
    if (status != DBM_OK) {
        dbm_adapter_set_data(q->c, NULL);
        dbm__pg_free(q);
    }
    return DBM_STEP_DONE;
}

static dbm_step dbm__pg_connect_step(dbm_connection *c, dbm_op *op) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    bool tls = PQstatus(q->conn) == CONNECTION_SSL_STARTUP;
    PostgresPollingStatusType next;
    if (q->host_until_us != INT64_MAX && dbm_adapter_clock(q->owner) >= q->host_until_us) { /* silent for too long: the one after it */
        const char *host = PQhost(q->conn), *port = PQport(q->conn);
        int i = q->host;
        for (; i < q->base->host_count - 1; i++) {
            const char *h = dbm__pg_nth(q->base->hosts, i), *p = dbm__pg_nth(q->base->ports, i);
            if (host != NULL && port != NULL && dbm__same_word_n(h, strcspn(h, ","), host) && (*p == ',' || *p == '\0' || dbm__same_word_n(p, strcspn(p, ","), port))) break;
        }
        q->host_until_us = INT64_MAX;
        if (i < q->base->host_count - 1) {
            dbm_status status;
            q->host = i + 1;
            dbm__pg_trace_end(q, false);
            status = dbm__pg_connect_begin(q, op);
            if (status == DBM_OK && PQstatus(q->conn) == CONNECTION_BAD) status = dbm__pg_connect_failed(q);
            if (status != DBM_OK) return dbm__pg_connect_over(q, op, status);
            tls = false;
        }
    }
    next = PQconnectPoll(q->conn);
    q->ssl_phase = tls;
    switch (next) {
    case PGRES_POLLING_OK:
        if (dbm_adapter_config(dbm_adapter_database(c))->tls == DBM_TLS_DEFAULT && !PQsslInUse(q->conn) && PQconnectionUsedPassword(q->conn) &&
            PQhost(q->conn) != NULL && !dbm__pg_local(PQhost(q->conn), strlen(PQhost(q->conn)))) dbm_adapter_clear_text(c);
        return dbm__pg_connect_over(q, op, dbm__pg_connected(q) ? DBM_OK : dbm__pg_no_memory(q));
    case PGRES_POLLING_FAILED: return dbm__pg_connect_over(q, op, dbm__pg_connect_failed(q));
    case PGRES_POLLING_READING: case PGRES_POLLING_WRITING: case PGRES_POLLING_ACTIVE: break;
    }
    op->fd = PQsocket(q->conn);
    op->wake_us = q->host_until_us;
    return next == PGRES_POLLING_WRITING ? DBM_STEP_WRITE : DBM_STEP_READ;
}

static void dbm__pg_disconnect(dbm_connection *c, dbm_disconnect how) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    if (q == NULL) return;
    dbm_adapter_set_data(c, NULL);
#if DBM__PG_POSIX
    if (how != DBM_DISCONNECT_POLITE && q->conn != NULL && PQsocket(q->conn) >= 0) {
        /* What libpq says as it closes goes to a socket that leads nowhere: no byte on the parent's connection, nor on one out of step. */
        int nowhere = socket(AF_UNIX, SOCK_STREAM, 0);
        if (nowhere < 0 || dup2(nowhere, PQsocket(q->conn)) < 0) {
            if (how == DBM_DISCONNECT_FORKED) q->conn = NULL; /* rather lose its memory than the parent's connection */
        }
        if (nowhere >= 0) (void)close(nowhere);
    }
#else
    if (how == DBM_DISCONNECT_FORKED) q->conn = NULL;
#endif
    dbm__pg_free(q);
}

/* Without a round trip: what came unasked, and what nobody waited for, is read; then the stream must be open and silent. */
static dbm_status dbm__pg_alive(dbm_connection *c) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    PGnotify *told;
    int round;
    if (q->poisoned || PQstatus(q->conn) == CONNECTION_BAD) return DBM_E_LOST;
    if (q->state == DBM__PG_NATIVE_USE) return DBM_OK;
    if (q->owed != 0 || q->ours) {
        if (dbm__pg_lane_read(q, &q->in) == DBM__PG_DEAD) return DBM_E_LOST;
        if (q->awaited != 0 || q->ours) return DBM_OK;
    }
    for (round = 0; round < 8; round++) {
        dbm_status status = dbm__net_peek(PQsocket(q->conn));
        if (status != DBM_E_LOST) return DBM_OK;
        if (PQconsumeInput(q->conn) != 1) return DBM_E_LOST;
        (void)PQisBusy(q->conn); /* notices and parameters are taken from it */
        while ((told = PQnotifies(q->conn)) != NULL) PQfreemem(told); /* nobody asks for them here */
        if (q->sent.head < q->sent.count && dbm__pg_answers(q) == DBM__PG_DEAD) return DBM_E_LOST;
        if (q->poisoned || PQstatus(q->conn) == CONNECTION_BAD) return DBM_E_LOST;
    }
    return DBM_E_LOST;
}

/* ---- configuration ---------------------------------------------------------------------------------------------------- */

static dbm_status dbm__pg_check_key(dbm_database *db, const PQconninfoOption *known, const char *key, const char *where) {
    const char *names[96], *near_one;
    char hint[80] = "";
    size_t n = 0;
    for (; known->keyword != NULL; known++) {
        if (strcmp(known->keyword, key) == 0) return DBM_OK;
        if (n < sizeof names / sizeof names[0]) names[n++] = known->keyword;
    }
    near_one = dbm__nearest(key, names, n);
    if (near_one != NULL) dbm__format(hint, sizeof hint, "; did you mean %s?", near_one);
    return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s %q is none that libpq knows%s", where, key, hint);
}

/* "db1:5432,[::1],%2Ftmp" as a list of hosts and one of ports. Both blocks are as long as the list, and a comma more. */
static int dbm__pg_split_hosts(const char *list, char *hosts, char *ports, bool *remote) {
    size_t room = strlen(list) + 1;
    int count = 0, port;
    for (; list != NULL; count++, hosts += strlen(hosts), ports += strlen(ports)) {
        if (count != 0) *hosts++ = *ports++ = ',';
        port = -1;
        (void)dbm__host_next(&list, hosts, room, &port);
        *remote = *remote || !dbm__pg_local(hosts, strlen(hosts));
        *ports = '\0';
        if (port >= 0) dbm__format(ports, 8, "%d", port);
    }
    return count;
}

static void dbm__pg_set(dbm__pg_base *base, const char *key, const char *value) {
    if (value == NULL) return;
    base->keys[base->count] = key;
    base->values[base->count++] = value;
}

/* A number in the block behind `*at`. */
static const char *dbm__pg_number(char **at, int n) {
    dbm__format(*at, 16, "%d", n);
    *at += 16;
    return *at - 16;
}

static dbm_status dbm__pg_fill(dbm_database *db, dbm__pg_base *base, char *at) {
    static const char *const modes[] = { NULL, "disable", "prefer", "require", "verify-ca", "verify-full" };
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    const char *zone = NULL, *where;
    dbm_option one;
    PQconninfoOption *known = PQconninfoParse("", NULL);
    dbm_status status = DBM_OK;
    size_t i = 0;
    dbm_tls tls = config->tls;
    if (known == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    base->keys[0] = "user";
    base->keys[1] = "password";
    base->keys[2] = "host";
    base->keys[3] = "port";
    base->count = 4;
    base->dsn = url->scheme[0] == '\0' && url->path[0] != '\0';
    if (base->dsn || url->path[0] != '\0') dbm__pg_set(base, "dbname", url->path);
    if (url->hosts[0] != '\0') {
        size_t size = strlen(url->hosts) + 1;
        base->hosts = at;
        base->ports = at + size;
        base->host_count = dbm__pg_split_hosts(url->hosts, at, at + size, &base->remote);
        at += 2 * size;
    }
    dbm__pg_set(base, "fallback_application_name", "dbm.h");
    dbm__pg_set(base, "gssencmode", "disable"); /* else libpq asks a ticket cache before each connect */
    if (config->tcp_keepalive_ms > 0) {
        dbm__pg_set(base, "keepalives_idle", dbm__pg_number(&at, (config->tcp_keepalive_ms + 999) / 1000));
    } else {
        dbm__pg_set(base, "keepalives", "0");
    }
    if (config->tcp_user_timeout_ms > 0) dbm__pg_set(base, "tcp_user_timeout", dbm__pg_number(&at, config->tcp_user_timeout_ms));
    if (tls == DBM_TLS_DEFAULT && base->host_count > 0) tls = base->remote ? DBM_TLS_PREFER : DBM_TLS_OFF;
    if (tls > DBM_TLS_DEFAULT && tls <= DBM_TLS_VERIFY_FULL) dbm__pg_set(base, "sslmode", modes[tls]);
    dbm__pg_set(base, "sslrootcert", config->tls_ca);
    dbm__pg_set(base, "sslcert", config->tls_cert);
    dbm__pg_set(base, "sslkey", config->tls_key);
    if (config->tls_ca == NULL && tls == DBM_TLS_VERIFY_FULL && PQlibVersion() >= 160000) dbm__pg_set(base, "sslrootcert", "system");
    while (status == DBM_OK && (where = dbm__adapter_argument(db, &i, &one)) != NULL) {
        status = dbm__pg_check_key(db, known, one.name, where);
        if (i <= url->parameter_count && strcmp(one.name, "sslmode") == 0 && config->tls != DBM_TLS_DEFAULT) continue;
        dbm__pg_set(base, one.name, one.value);
        if (strcmp(one.name, "options") == 0) zone = one.value;
    }
    dbm__pg_set(base, "client_encoding", "UTF8");
    for (; zone != NULL && *zone != '\0' && !base->own_zone; zone++) base->own_zone = dbm__same_word_n(zone, strlen(zone) < 8 ? strlen(zone) : 8, "timezone");
    base->keys[base->count] = base->values[base->count] = NULL;
    PQconninfoFree(known);
    return status;
}

static dbm_status dbm__pg_init(dbm_database *db) {
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    size_t pairs = 24 + url->parameter_count + config->option_count;
    size_t size = sizeof(dbm__pg_base) + 2 * pairs * sizeof(char *) + 2 * (strlen(url->hosts) + 1) + 5 * 16;
    dbm__pg_base *base;
    dbm_status status;
    if (!PQisthreadsafe()) return dbm__adapter_refuse(db, DBM_E_CONFIG, "libpq was built without thread safety");
    base = (dbm__pg_base *)dbm_adapter_alloc(db, size);
    if (base == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    memset(base, 0, size);
    base->keys = (const char **)(void *)(base + 1);
    base->values = base->keys + pairs;
    base->cached = config->statement_cache > 0;
    status = dbm__pg_fill(db, base, (char *)(void *)(base->values + pairs));
    if (status != DBM_OK) {
        dbm_adapter_free(db, base);
        return status;
    }
    dbm_adapter_set_db_data(db, base);
    return DBM_OK;
}

static void dbm__pg_close(dbm_database *db) {
    void *base = dbm_adapter_db_data(db);
    dbm_adapter_set_db_data(db, NULL);
    if (base != NULL) dbm_adapter_free(db, base);
}

static const dbm_adapter dbm__postgresql_adapter = {
    sizeof(dbm_adapter), DBM_ADAPTER_VERSION,
    "postgresql", "postgresql,postgres", NULL,
    DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS | DBM_ADAPTER_SOCKET | DBM_ADAPTER_ONE_RESULT | DBM_ADAPTER_STOPS | DBM_ADAPTER_LISTEN | (DBM__PG_PIPELINE ? DBM_ADAPTER_PIPELINE | DBM_ADAPTER_REPLIES : 0),
    DBM_PH_DOLLAR, DBM__PG_LEXER,
    dbm__pg_init, dbm__pg_close,
    NULL, dbm__pg_disconnect, dbm__pg_alive, NULL, NULL, dbm__pg_cancel,
    NULL,
    dbm__pg_finish, dbm__pg_fetch, dbm__pg_column, dbm__pg_column_name,
    dbm__pg_start, dbm__pg_step,
    dbm__pg_take_row, dbm__pg_take_columns
};

DBM__FN const dbm_adapter *dbm__adapter_postgresql(void) { return &dbm__postgresql_adapter; }

#endif /* DBM_HAS_POSTGRESQL */
