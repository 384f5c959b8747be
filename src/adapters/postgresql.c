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
 * under way between two of them. All else runs directly, and its rows come singly until they end: `live`. */

/* ---- what it keeps ----------------------------------------------------------------------------------------------- */

enum { /* commands */
    DBM__PG_BEGIN = 1,   /* number: isolation, and 8 for READ ONLY */
    DBM__PG_SAVEPOINT, DBM__PG_RELEASE, DBM__PG_ROLLBACK_TO,   /* number: the savepoint's */
    DBM__PG_CLOSE,       /* number: the cursor's */
    DBM__PG_DEALLOCATE,  /* number: the statement's */
    DBM__PG_PREPARE, DBM__PG_DECLARE, DBM__PG_FETCH, DBM__PG_RUN, /* of q->main; FETCH: number of rows */
    DBM__PG_SENT,        /* number: 1 writes, 2 may have rows, 4 the first of them was seen, 8 stands alone: it has succeeded when its SYNC has */
    DBM__PG_COMMIT, DBM__PG_ROLLBACK, DBM__PG_PING,
    DBM__PG_DISCARD, DBM__PG_SET, DBM__PG_INIT, /* of a reset; INIT: number is where in init_sql */
    DBM__PG_PARSE, DBM__PG_DESCRIBE, DBM__PG_COPY, /* of a bulk */
    DBM__PG_ROW_OF_BULK, /* number: which one */
    DBM__PG_LEARN,       /* what the columns of a statement are */
    DBM__PG_SYNC
};
enum { DBM__PG_TX_NONE = 0, DBM__PG_TX_QUEUED, DBM__PG_TX_OPEN };
enum { DBM__PG_TAKE = 0, DBM__PG_FIRST, DBM__PG_KEEP, DBM__PG_DROP }; /* what is done with rows that come singly */
/* What must come before the operation: some answers of the pipeline, all of them; what the short way is owed; what the program has begun with libpq's handle. */
enum { DBM__PG_GO = 0, DBM__PG_ROOM, DBM__PG_DRAIN, DBM__PG_OWED, DBM__PG_FROM_NATIVE };
enum { DBM__PG_WAITS = 0, DBM__PG_ROW, DBM__PG_ALL, DBM__PG_DEAD };   /* how far the answers have been read */
enum { DBM__PG_OFF = 0, DBM__PG_CONNECTING, DBM__PG_READY, DBM__PG_NATIVE_USE };

typedef struct dbm__pg_item {
    unsigned char kind;
    bool silent;             /* nobody waits for its answer */
    uint32_t number;
    int depth;               /* CLOSE: savepoints that were open when the cursor was opened */
    struct dbm__pg_statement *s; /* PREPARE, LEARN, SENT */
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
    dbm__word schema;        /* of the database then */
    bool kept;               /* is on the server */
    bool seen;               /* ran before */
    bool known;              /* so are the columns' types, in `types`, */
    bool rowless;            /* or that it has none */
    bool binary;             /* all columns of the one on the server can be read in binary */
    bool inserts, selects, listens;
    bool copies_in, copies_out; /* COPY ... FROM STDIN, COPY ... TO STDOUT */
    unsigned char small_runs; /* in a row, whose rows were few */
    int row_size;            /* of the largest row so far, about */
    PGresult *about;         /* its columns, where it is known to have some */
    /* of the result in progress */
    PGresult *res;           /* its columns, and the row or rows in hand */
    dbm__pg_in in;           /* or, by the short way, what they lie in; */
    char *pinned;            /* the row in hand, when the others have come elsewhere meanwhile */
    const dbm__pg_cell *cells; /* the row in hand, where it is not a row of `res` */
    dbm__pg_cell *block, copied; /* of cells: twice as many as there are columns */
    int row, rows;
    bool live, ended, binary_rows, next_binary, lost;
    bool copying;            /* COPY sends its rows */
    uint32_t cursor;         /* open on the server; 0: none */
    int depth;
    int fetch;               /* rows of the last FETCH */
    int64_t total;
    int columns;
    Oid *types;              /* of its columns */
    int types_capacity;
    uint32_t serial;         /* of the row in hand */
    dbm__pg_held *held, *last_held, *now; /* now: the row in hand, when it is one of them */
    size_t held_size;
    dbm__pg_text *texts;
    int texts_count;
    struct dbm__pg_statement *next_cursor;
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
    bool of_pipeline;        /* the error of this operation is sent_error */
    PGresult *error;         /* the first failure of this operation; */
    char *fault;             /* or, by the short way, as the server sent it */
    /* the short way */
    bool lane_can, lane_on;  /* can be taken on this connection; now */
    bool lane;               /* is taken by the operation */
    bool beginning;          /* BEGIN is unanswered */
    bool closing;            /* the outcome is known, and the server will be ready soon */
    bool gather;             /* all rows are wanted at once */
    bool ddl;                /* the transaction has changed the schema, maybe */
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

#define DBM__PG_BLOCK_KEPT ((size_t)65536)
#define DBM__PG_FIRST_ROWS 64    /* of the first FETCH */
#define DBM__PG_MOST_ROWS 1024   /* of a later one, if they are small */
#define DBM__PG_BATCH_BYTES 262144
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
    size_t i, n = said != NULL ? strlen(said) : 0;
    while (n > 0 && (said[n - 1] == '\n' || said[n - 1] == ' ')) n--;
    for (i = 0; i < n; i++) {
        if (said[i] == '\n' || said[i] == '\t') {
            dbm__put(t, " ");
            while (i + 1 < n && (said[i + 1] == '\n' || said[i + 1] == '\t' || said[i + 1] == ' ')) i++;
        } else {
            dbm__put_n(t, said + i, 1);
        }
    }
}

static dbm_status dbm__pg_say(dbm__pg *q, dbm_status status, const char *sqlstate, const char *format, ...) {
    char block[1000];
    dbm__text t = dbm__text_in(block, sizeof block);
    va_list ap;
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    dbm__text_end(&t);
    return dbm_adapter_fail(q->c, status, sqlstate, 0, block);
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
    if (PQstatus(q->conn) == CONNECTION_BAD || strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0) return dbm__pg_lost(q);
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
    item->kind = (unsigned char)kind;
    item->silent = false;
    item->number = number;
    item->depth = 0;
    item->s = NULL;
    return item;
}

static bool dbm__pg_room(dbm__pg *q, size_t size) {
    char *block;
    if (size <= q->block_size) return true;
    if (size < SIZE_MAX / 2) size += size / 2;
    if (size < 256) size = 256;
    block = (char *)dbm_adapter_resize(q->owner, q->block, size);
    if (block == NULL) {
        q->no_memory = true;
        return false;
    }
    q->block = block;
    q->block_size = size;
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
static void dbm__pg_days(int64_t days, int64_t *year, int *month, int *day) { /* since 1970; after H. Hinnant's civil_from_days */
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097, y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

DBM__FN int64_t dbm__pg_days_of(int64_t year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void dbm__pg_put_digits(dbm__text *t, int64_t v, int width) {
    char digits[24];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0 || n < width);
    while (n > 0) dbm__put_n(t, &digits[--n], 1);
}

static void dbm__pg_put_date(dbm__text *t, int64_t days, bool *before) {
    int64_t year;
    int month, day;
    dbm__pg_days(days, &year, &month, &day);
    *before = year <= 0;
    dbm__pg_put_digits(t, *before ? 1 - year : year, 4);
    dbm__put(t, "-");
    dbm__pg_put_digits(t, month, 2);
    dbm__put(t, "-");
    dbm__pg_put_digits(t, day, 2);
}

DBM__FN void dbm__pg_put_timestamp(dbm__text *t, int64_t us) {
    int64_t days = us / INT64_C(86400000000), rest = us % INT64_C(86400000000);
    bool before;
    if (rest < 0) {
        rest += INT64_C(86400000000);
        days--;
    }
    dbm__pg_put_date(t, days, &before);
    dbm__put(t, " ");
    dbm__pg_put_digits(t, rest / INT64_C(3600000000), 2);
    dbm__put(t, ":");
    dbm__pg_put_digits(t, rest / 60000000 % 60, 2);
    dbm__put(t, ":");
    dbm__pg_put_digits(t, rest / 1000000 % 60, 2);
    dbm__put(t, ".");
    dbm__pg_put_digits(t, rest % 1000000, 6);
    dbm__put(t, "+00");
    if (before) dbm__put(t, " BC");
}

DBM__INLINE bool dbm__pg_is_bytes(const dbm_value *v) { return v->type >= DBM_TYPE_TEXT && v->type != DBM_TYPE_TIMESTAMP && v->type != DBM_TYPE_INVALID; }

/* Whether the server could take it at all. */
DBM__INLINE dbm_status dbm__pg_check(dbm__pg *q, const dbm_value *v, int i) {
    if (!dbm__pg_is_bytes(v)) return v->type != DBM_TYPE_INVALID ? DBM_OK : dbm__pg_say(q, DBM_E_MISUSE, NULL, "value %d is none", i + 1);
    if (v->as.text.size >= (size_t)INT_MAX / 2) return dbm__pg_say(q, DBM_E_LIMIT, "54000", "value %d has %z bytes; PostgreSQL takes 1 GB", i + 1, v->as.text.size);
    if (v->type == DBM_TYPE_BLOB || v->as.text.size == 0 || memchr(v->as.text.data, 0, v->as.text.size) == NULL) return DBM_OK;
    return dbm__pg_say(q, DBM_E_RANGE, "22021", "value %d is a text with a NUL byte, which PostgreSQL can't store; pass it as dbm_blob", i + 1);
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
        if (!dbm__pg_is_bytes(v)) continue;
        st = dbm__pg_check(q, v, i);
        if (DBM__UNLIKELY(st != DBM_OK)) return st;
        q->bytes += v->as.text.size;
        if (v->type != DBM_TYPE_BLOB) need += v->as.text.size;
    }
    if (!dbm__pg_room(q, need)) return dbm__pg_no_memory(q);
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
            t = dbm__text_in(at, 40);
            dbm__pg_put_timestamp(&t, v->as.integer);
            at += (length = (int)t.size) + 1;
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
            return dbm__pg_say(q, DBM_E_MISUSE, NULL, "value %d is none", i + 1);
        }
        q->lengths[i] = length;
    }
    q->declare = at;
    q->unasked_bytes += need;
    return DBM_OK;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static bool dbm__pg_text_command(dbm__pg *q, const char *sql) {
    if (!q->piped) return PQsendQuery(q->conn, sql) == 1; /* one message where the pipeline needs four */
    return PQsendQueryParams(q->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

static bool dbm__pg_send_named(dbm__pg *q, const dbm__pg_statement *s, const dbm_op *op, bool binary) {
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
    size_t size = strlen(sql) - number, next = 0, length = dbm__sql_statement_end(sql + number, size, DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING, &next);
    if (!dbm__pg_room(q, length + 1)) return false;
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
    case DBM__PG_PREPARE: return PQsendPrepare(q->conn, item->s->name, op->sql, 0, NULL) == 1;
    case DBM__PG_LEARN: return PQsendDescribePrepared(q->conn, item->s->name) == 1;
    case DBM__PG_RUN: case DBM__PG_SENT:
        if (item->kind == DBM__PG_SENT) s = item->s;
        if (!q->named_run) return PQsendQueryParams(q->conn, op->sql, op->value_count, NULL, q->params, q->lengths, q->formats, 0) == 1;
        return dbm__pg_send_named(q, s, op, item->kind == DBM__PG_RUN && s->kept && s->binary);
    case DBM__PG_DECLARE:
        t = dbm__text_in(q->declare, op->sql_size + 64);
        dbm__putf(&t, "DECLARE dbm_c%u NO SCROLL CURSOR FOR ", (uint64_t)s->cursor);
        q->prefix = (int)t.size;
        dbm__put_n(&t, op->sql, op->sql_size);
        return PQsendQueryParams(q->conn, q->declare, op->value_count, NULL, q->params, q->lengths, q->formats, 0) == 1;
    case DBM__PG_FETCH:
        dbm__putf(&t, "FETCH %u FROM dbm_c%u", (uint64_t)item->number, (uint64_t)s->cursor);
        return PQsendQueryParams(q->conn, block, 0, NULL, NULL, NULL, NULL, s->next_binary) == 1;
#if DBM__PG_PIPELINE
    case DBM__PG_SYNC:
        q->unsynced = false;
        q->unasked = 0;
        q->unasked_bytes = 0;
        return PQpipelineSync(q->conn) == 1;
#endif
    default: return true;
    }
    return dbm__pg_text_command(q, block);
}

/* Sends what is in the list: all of it, or without a pipeline the command at the head. False: it can't be sent. */
static bool dbm__pg_send(dbm__pg *q) {
    while (q->emitted < q->sent.count) {
        if (!q->piped) {
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
    if (DBM__UNLIKELY(s->now != NULL)) {
        dbm_adapter_free(s->q->owner, s->now);
        s->now = NULL;
    }
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
    Oid *types;
    if (columns <= s->types_capacity) return true;
    types = (Oid *)dbm_adapter_resize(q->owner, s->types, (size_t)columns * sizeof *types);
    if (types != NULL) {
        dbm__pg_cell *block = (dbm__pg_cell *)dbm_adapter_resize(q->owner, s->block, 2 * (size_t)columns * sizeof *block);
        s->types = types;
        if (block != NULL) {
            s->block = block;
            s->types_capacity = columns;
            return true;
        }
    }
    q->no_memory = true;
    return false;
}

/* Puts a row aside. */
static bool dbm__pg_keep(dbm__pg *q, dbm__pg_statement *s, const dbm__pg_cell *cells, int columns) {
    size_t size = sizeof(dbm__pg_held) + (size_t)columns * sizeof *cells;
    dbm__pg_held *held;
    char *at;
    int i;
    for (i = 0; i < columns; i++) size += (size_t)(cells[i].size > 0 ? cells[i].size : 0) + 1;
    if (s->held_size + size > q->op->row_buffer) {
        q->full = true;
        return false;
    }
    held = (dbm__pg_held *)dbm_adapter_alloc(q->owner, size);
    if (held == NULL) {
        q->no_memory = true;
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
    s->held_size += size;
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

static int64_t dbm__pg_count(PGresult *res) {
    const char *text = PQcmdTuples(res);
    int64_t n = 0;
    if (text[0] == '\0') return -1;
    for (; *text >= '0' && *text <= '9'; text++) n = n * 10 + (*text - '0');
    return n;
}

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
 * value does not fit any more. */
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

static int64_t dbm__pg_read_int(const char *text) {
    bool minus = *text == '-';
    uint64_t n = 0;
    if (minus) text++;
    for (; *text >= '0' && *text <= '9'; text++) n = n * 10 + (uint64_t)(*text - '0');
    return (int64_t)(minus ? 0 - n : n);
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
static bool dbm__pg_learned(dbm__pg_statement *s, PGresult *about) {
    PQclear(s->about);
    s->about = about;
    return about != NULL && s->columns > 0;
}

/* What one of the pipeline has done; its rows are dropped. */
static void dbm__pg_sent_done(dbm__pg *q, dbm__pg_item *item, PGresult *res, ExecStatusType status) {
    int64_t n = -1;
    if (status == PGRES_COMMAND_OK) n = dbm__pg_ran(q, res);
    else if (status != PGRES_SINGLE_TUPLE) n = dbm__pg_count(res);
    if ((item->number & 1u) != 0 && n >= 0) q->sent_affected = n;
    if (item->s->inserts && (item->number & 4u) == 0) {
        q->sent_last_id = n == 0 ? 0 : DBM_LAST_ID_UNKNOWN;
        if (PQntuples(res) > 0 && PQnfields(res) > 0 && !PQgetisnull(res, 0, 0)) {
            Oid type = PQftype(res, 0);
            if (type == DBM__PG_INT4 || type == DBM__PG_INT8 || type == DBM__PG_INT2 || type == DBM__PG_OID) q->sent_last_id = dbm__pg_read_int(PQgetvalue(res, 0, 0));
        }
    }
    item->number |= 4u;
}

/* The rows of a command of q->main. Takes `res`. True: the one in hand is what was waited for. */
static bool dbm__pg_rows(dbm__pg *q, PGresult *res, ExecStatusType status) {
    dbm__pg_statement *s = q->main;
    int n = PQntuples(res);
    if (status == PGRES_SINGLE_TUPLE) {
        s->total++;
        if (q->mode == DBM__PG_TAKE || (q->mode == DBM__PG_FIRST && s->total == 1) || (q->mode == DBM__PG_KEEP && s->res == NULL)) {
            if (q->mode == DBM__PG_TAKE) dbm__pg_row_moves(s);
            dbm__pg_res(s, res);
            s->row = 0;
            s->rows = 1;
            s->binary_rows = PQbinaryTuples(res) != 0;
            return q->mode == DBM__PG_TAKE;
        }
        if (q->mode == DBM__PG_KEEP && !dbm__pg_keep_result(q, s, res)) {
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
    } else if (s->cursor != 0) { /* an empty FETCH: the row in hand is gone */
        dbm__pg_row_moves(s);
        s->row = 0;
        s->rows = 0;
        PQclear(res);
        return false;
    } else {
        q->affected = dbm__pg_count(res);
        PQclear(res);
        return false;
    }
    q->affected = dbm__pg_count(s->res);
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
    q->main->binary_rows = true;
    q->main->copying = true;
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

/* Whether the SYNC at the head is that of one which stands alone. */
static bool dbm__pg_sent_alone(const dbm__pg *q) {
    const dbm__pg_item *before = q->sent.at + q->sent.head - 1;
    return q->sent.head > 0 && before->kind == DBM__PG_SENT && (before->number & 8u) != 0;
}

static void dbm__pg_sent_over(dbm__pg *q) {
    q->unanswered--;
    if (q->sent_error == NULL) q->answered++;
}

/* The connection dies or fails where nobody waits: whoever uses it next hears of it. */
static void dbm__pg_failed_item(dbm__pg *q, const dbm__pg_item *item, PGresult *res) {
    const dbm__pg_item *next;
    const char *state;
    PGresult **to;
    if (item->silent) {
        if (item->kind != DBM__PG_COMMIT) q->poisoned = true; /* a reset; a COMMIT of what only read has nothing to lose */
        PQclear(res);
        return;
    }
    state = dbm__pg_or_empty(PQresultErrorField(res, PG_DIAG_SQLSTATE));
    if (item->kind == DBM__PG_SENT && dbm__pg_is_stale(state, PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION))) dbm__pg_unkeep(q, item->s, strcmp(state, "26000") != 0);
    if (item->kind == DBM__PG_PREPARE) item->s->kept = false;
    /* What goes before one of the pipeline fails for it. */
    for (next = item; next < q->sent.at + q->sent.count && next->kind != DBM__PG_SENT && next->kind != DBM__PG_SYNC; next++) {}
    to = (next < q->sent.at + q->sent.count && next->kind == DBM__PG_SENT) || (item->kind == DBM__PG_SYNC && dbm__pg_sent_alone(q)) ? &q->sent_error : &q->error;
    if (*to == NULL) *to = res;
    else PQclear(res);
}

static void dbm__pg_each_took(dbm__pg *q, int64_t n);
static void dbm__pg_each_lost(dbm__pg *q, int row);

/* Takes one result of the command at the head. True: a row to be handed out is there. */
static bool dbm__pg_answer(dbm__pg *q, dbm__pg_item *item, PGresult *res) {
    ExecStatusType status = PQresultStatus(res);
    switch ((int)status) {
    case PGRES_TUPLES_OK: case PGRES_SINGLE_TUPLE:
        if ((item->kind == DBM__PG_RUN || item->kind == DBM__PG_FETCH) && q->main != NULL) return dbm__pg_rows(q, res, status);
        if (item->kind == DBM__PG_SENT) dbm__pg_sent_done(q, item, res, status);
        break;
    case PGRES_COMMAND_OK: case PGRES_EMPTY_QUERY:
        if (item->kind == DBM__PG_BEGIN) q->tx = DBM__PG_TX_OPEN;
        if (item->kind == DBM__PG_PREPARE) item->s->kept = true;
        if (item->kind == DBM__PG_SENT) dbm__pg_sent_done(q, item, res, status);
        if (item->kind == DBM__PG_RUN) q->affected = dbm__pg_ran(q, res);
        if (item->kind == DBM__PG_ROW_OF_BULK) dbm__pg_each_took(q, dbm__pg_count(res));
        if (item->kind == DBM__PG_COPY) q->affected = dbm__pg_count(res);
        if (item->kind == DBM__PG_LEARN && item->s->kept && dbm__pg_look_at_types(q, item->s, res, &item->s->binary)) {
            item->s->known = dbm__pg_learned(item->s, res);
            return false;
        }
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
        if (item->kind == DBM__PG_ROW_OF_BULK) dbm__pg_each_lost(q, (int)item->number);
        dbm__pg_failed_item(q, item, res);
        return false;
#if DBM__PG_PIPELINE
    case PGRES_PIPELINE_ABORTED: /* what only rode along is sent again with the next one */
        if (item->kind == DBM__PG_DEALLOCATE) dbm__pg_add(q, &q->drops, DBM__PG_DEALLOCATE, item->number);
        if (item->kind == DBM__PG_PREPARE) item->s->kept = false;
        break;
#endif
    default: break;
    }
    PQclear(res);
    return false;
}

static void dbm__pg_look_at_transaction(dbm__pg *q) {
    switch (PQtransactionStatus(q->conn)) {
    case PQTRANS_IDLE:
        if (q->tx == DBM__PG_TX_OPEN) q->tx = DBM__PG_TX_NONE;
        q->failed_tx = false;
        break;
    case PQTRANS_INTRANS: q->failed_tx = false; break;
    case PQTRANS_INERROR: q->failed_tx = true; break;
    case PQTRANS_ACTIVE: case PQTRANS_UNKNOWN: break;
    }
}

static void dbm__pg_sync_done(dbm__pg *q) {
    q->skipping = false;
    if (q->sent.head != q->sent.count) return;
    q->sent.head = q->sent.count = q->emitted = 0;
    q->laned = false;
    dbm__pg_look_at_transaction(q);
}

/* Reads answers, in the order of the list, as far as they have come. */
static int dbm__pg_answers(dbm__pg *q) {
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
        if (item->kind == DBM__PG_RUN && !q->armed) {
            if (q->fresh) return DBM__PG_WAITS; /* how its rows come is said when the first of them are there */
            q->armed = true;
            (void)PQsetSingleRowMode(q->conn);
        }
        if (item->kind == DBM__PG_SENT && (item->number & 2u) != 0 && !q->armed) {
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
            if (item->kind == DBM__PG_SENT && (item->number & 8u) == 0) dbm__pg_sent_over(q);
            q->sent.head++;
            q->armed = false;
            continue;
        }
#if DBM__PG_PIPELINE
        if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            if (dbm__pg_sent_alone(q)) dbm__pg_sent_over(q);
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

static bool dbm__pg_out_room(dbm__pg *q, size_t size) {
    char *out;
    if (DBM__LIKELY(size <= q->out_size)) return true;
    if (size < 512) size = 512;
    out = (char *)dbm_adapter_resize(q->owner, q->out, size);
    if (out == NULL) return false;
    q->out = out;
    q->out_size = size;
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

/* What was written up to `to` goes out, and will be answered. */
static void dbm__pg_lane_go(dbm__pg *q, char *to, bool gather) {
    dbm_op *op = q->op;
    q->out_at = 0;
    q->out_end = (size_t)(to - q->out);
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

static void dbm__pg_lane_tag(dbm__pg *q, const char *tag) {
    const char *number = strrchr(tag, ' ');
    if (q->beginning) {
        q->beginning = false;
        q->begins |= 1u << q->wait.at[0].number;
        q->tx = DBM__PG_TX_OPEN;
        return;
    }
    q->closing = true;
    if (q->op->kind == DBM_OP_COMMIT && strcmp(tag, "ROLLBACK") == 0) q->outcome = DBM_E_ROLLED_BACK;
    dbm__pg_look_at_tag(q, tag);
    if (number != NULL && number[1] >= '0' && number[1] <= '9') q->affected = dbm__pg_read_int(number + 1);
}

static void dbm__pg_lane_failed(dbm__pg *q, const char *body, size_t size) {
    q->closing = true;
    if (q->fault != NULL) return;
    q->fault = (char *)dbm_adapter_alloc(q->owner, size + 2);
    if (q->fault == NULL) {
        q->no_memory = true;
        return;
    }
    memcpy(q->fault, body, size);
    q->fault[size] = q->fault[size + 1] = '\0';
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
        switch (m[0]) {
        case 'D': /* a row */
            if (DBM__UNLIKELY(q->owed != 0 || s == NULL || size < 7)) return DBM__PG_DEAD;
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
        case 'Z': dbm__pg_lane_ready(q, m[5]); break;
        case 'E': if (q->owed == 0) dbm__pg_lane_failed(q, m + 5, size - 5); break;
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
    if (q->awaited == 0 && in->at == in->end) return DBM__PG_ALL;
    return q->lane && s != NULL && s->rows > 0 && q->mode == DBM__PG_TAKE && !q->gather && !q->closing ? DBM__PG_ROW : DBM__PG_WAITS;
}

/* Reads once, or as often as there is more than fits. */
static int dbm__pg_lane_read(dbm__pg *q, dbm__pg_in *in) {
    for (;;) {
        size_t left = in->end - in->at, got, need, size;
        dbm_status st;
        int how;
        if (q->lane && q->main != NULL && q->mode == DBM__PG_TAKE && q->main->rows > 0) in->keep = in->at; /* rows that nobody has seen yet */
        if (left != 0 && in->keep != in->at) memmove(in->data + in->keep, in->data + in->at, left);
        in->at = in->keep;
        in->end = in->keep + left;
        need = in->end + (q->gather ? 4096 : 1);
        if (left >= 5 && in->keep + dbm__pg_get32(in->data + in->at + 1) + 1 > need) need = in->keep + dbm__pg_get32(in->data + in->at + 1) + 1;
        if (DBM__UNLIKELY(in->data == NULL || need > in->size)) {
            char *data;
            for (size = in->data != NULL ? in->size : 8192; size < need;) size *= 2;
            data = (char *)dbm_adapter_resize(q->owner, in->data, size);
            if (data == NULL) {
                q->no_memory = true;
                return DBM__PG_DEAD;
            }
            in->data = data;
            in->size = size;
        }
        st = dbm__net_receive(q->fd, in->data + in->end, in->size - in->end, &got);
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
    if (how == DBM__PG_DEAD || s == NULL || dbm__pg_failed(q)) return how;
    if (!own && !s->rowless) {
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

static void dbm__pg_end_local(dbm__pg *q, dbm_status status) {
    q->outcome = status;
    q->local = true;
}

/* Commands that had to wait, in front of one that is sent now. */
static void dbm__pg_push_waiting(dbm__pg *q, bool silent) {
    int i;
    for (i = 0; i < q->wait.count; i++) {
        const dbm__pg_item *item = &q->wait.at[i];
        dbm__pg_item *sent = dbm__pg_add(q, &q->sent, item->kind, item->number);
        if (sent != NULL) sent->silent = silent;
        if (item->kind == DBM__PG_ROLLBACK_TO) {
            sent = dbm__pg_add(q, &q->sent, DBM__PG_RELEASE, item->number);
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
    if (q->piped == on) return true;
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
    if (!dbm__pg_pipe(q, !alone)) {
        dbm__pg_end_local(q, dbm__pg_lost(q));
        return;
    }
    if (DBM__UNLIKELY(q->no_memory)) { /* the list has a hole; what follows it must not run */
        dbm_adapter_broken(q->c);
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return;
    }
    if (DBM__UNLIKELY(!dbm__pg_send(q))) {
        if (q->no_memory) {
            dbm_adapter_broken(q->c);
            dbm__pg_end_local(q, dbm__pg_no_memory(q));
        } else {
            dbm__pg_end_local(q, dbm__pg_lost(q));
        }
    }
}

static void dbm__pg_cursor_unlink(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_statement **at = &q->cursors;
    while (*at != NULL && *at != s) at = &(*at)->next_cursor;
    if (*at == s) *at = s->next_cursor;
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
    s->cursor = 0;
    dbm__pg_cursor_unlink(q, s);
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
    if (s->ended && !s->lost && s->total <= DBM__PG_FIRST_ROWS) {
        if (s->small_runs < 255) s->small_runs++;
    } else {
        s->small_runs = 0;
    }
    dbm__pg_close_cursor(q, s);
    dbm__pg_row_moves(s);
    while (s->held != NULL) {
        dbm__pg_held *next = s->held->next;
        dbm_adapter_free(q->owner, s->held);
        s->held = next;
    }
    s->last_held = NULL;
    s->held_size = 0;
    dbm__pg_res(s, NULL);
    if (s->in.data != NULL) { /* for the next one */
        if (q->in.data != NULL || s->in.size > DBM__PG_BLOCK_KEPT) {
            dbm_adapter_free(q->owner, s->in.data);
        } else {
            q->in.data = s->in.data;
            q->in.size = s->in.size;
        }
        s->in.data = NULL;
    }
    if (s->texts != NULL) {
        dbm_adapter_free(q->owner, s->texts);
        s->texts = NULL;
        s->texts_count = 0;
    }
    s->live = false;
}

DBM__INLINE void dbm__pg_result_begin(dbm__pg_statement *s) {
    s->row = s->rows = 0;
    s->live = s->ended = s->binary_rows = s->next_binary = s->lost = s->copying = false;
    s->total = 0;
}

/* ---- the operations ----------------------------------------------------------------------------------------------- */

DBM__INLINE bool dbm__pg_keeps(const dbm__pg *q, const dbm__pg_statement *s) {
    return s->kept && s->age == q->age && s->schema == dbm__load(&q->base->schema);
}

static void dbm__pg_look_at_kept(dbm__pg *q, dbm__pg_statement *s) {
    if (s->kept && !dbm__pg_keeps(q, s)) dbm__pg_unkeep(q, s, s->age == q->age);
}

/* Names are this connection's alone: a pooler of transactions must not find another client's statement under one of them. */
static void dbm__pg_add_prepare(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_item *item = dbm__pg_add(q, &q->sent, DBM__PG_PREPARE, 0);
    s->id = ++q->names;
    s->age = q->age;
    s->schema = dbm__load(&q->base->schema);
    s->known = s->rowless = s->binary = false;
    dbm__format(s->name, sizeof s->name, "dbm_%u_%u", (uint64_t)q->salt, (uint64_t)s->id);
    if (item != NULL) item->s = s;
}

/* Answers to what is in the pipeline are to come. */
static void dbm__pg_ask(dbm__pg *q) {
#if DBM__PG_PIPELINE
    if (q->unsynced && q->unasked != 0) (void)PQsendFlushRequest(q->conn); /* no memory for it: SYNC will do it */
#endif
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
        dbm__pg_item *item = NULL;
        s->fetch = dbm__pg_batch_rows(s, DBM__PG_FIRST_ROWS);
        s->cursor = ++q->cursor_names;
        s->depth = q->depth;
        if (q->base->cached && s->seen && !s->kept && q->lane_on) { /* the next time it goes the short way */
            dbm__pg_add_prepare(q, s);
            item = dbm__pg_add(q, &q->sent, DBM__PG_LEARN, 0);
            if (item != NULL) item->s = s;
        }
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

/* Into the pipeline. In a transaction the server answers when it is told to, outside of one at each SYNC; libpq keeps at most some
 * 64 KB and one statement. */
static void dbm__pg_start_send(dbm__pg *q, dbm_op *op) {
#if DBM__PG_PIPELINE
    dbm__pg_statement *s = (dbm__pg_statement *)op->prepared->data;
    dbm__pg_item *item;
    int i;
    dbm__pg_push_before(q);
    dbm__pg_look_at_kept(q, s);
    q->named_run = q->base->cached && s->seen;
    if (q->named_run && !s->kept) {
        dbm__pg_add_prepare(q, s);
        s->kept = true; /* it is when those behind it run */
    }
    item = dbm__pg_add(q, &q->sent, DBM__PG_SENT, (op->prepared->writes ? 1u : 0u) | (op->prepared->returns_rows ? 2u : 0u) |
                       (q->tx == DBM__PG_TX_NONE ? 8u : 0u));
    if (item != NULL) item->s = s;
    q->unsynced = true;
    if (q->tx == DBM__PG_TX_NONE) dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0);
    dbm__pg_put(q, false);
    if (q->local) return;
    for (i = 0; i < q->wait.count; i++) if (q->wait.at[i].kind == DBM__PG_BEGIN) q->tx = DBM__PG_TX_OPEN;
    q->wait.count = q->wait_used = 0;
    q->unanswered++;
    q->unasked++;
    s->seen = true;
    op->queued = true;
    dbm__pg_room_end(q);
    if (q->unasked >= DBM_PIPELINE_MAX / 4 || q->unasked_bytes >= DBM__PG_BLOCK_KEPT || !q->unsynced) {
        dbm__pg_ask(q);
        (void)dbm__pg_answers(q); /* libpq reads by itself while it can't write, and must not pile it up; who waits next hears of a failure */
        if (PQflush(q->conn) != 0) return; /* the step writes the rest, and reads */
    }
    dbm__pg_end_local(q, DBM_OK);
#else
    (void)op;
    dbm__pg_push_run(q);
#endif
}

static void dbm__pg_start_execute(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = op->prepared != NULL ? (dbm__pg_statement *)op->prepared->data : NULL;
    dbm_status status;
    if (s == NULL) {
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return;
    }
    if (DBM__UNLIKELY(s->copies_in)) {
        dbm__pg_end_local(q, dbm__pg_say(q, DBM_E_UNSUPPORTED, "0A000", "COPY from the program is not a statement: dbm_bulk_begin, dbm_bulk_row and dbm_bulk_end do it; or use "
                                         "PQputCopyData on the handle of dbm_native(s, \"postgresql\")"));
        return;
    }
    status = dbm__pg_encode(q, op);
    if (status != DBM_OK) {
        dbm__pg_end_local(q, status);
        return;
    }
    if (op->no_wait && (q->piped || q->sent.count == 0)) {
        dbm__pg_start_send(q, op);
        return;
    }
    dbm__pg_begin_run(q, s, op);
    dbm__pg_push_run(q);
}

/* Nothing else is under way, and nothing must be done first but what the short way can do too. */
DBM__INLINE bool dbm__pg_lane_free(const dbm__pg *q) {
    return q->lane_on && !q->setup && q->sent.count == 0 && q->awaited == q->owed && (q->wait.count == 0 || (q->wait.count == 1 && q->wait.at[0].kind == DBM__PG_BEGIN));
}

static void dbm__pg_cursor_name(char block[20], uint32_t number) { dbm__format(block, 20, "dbm_c%u", (uint64_t)number); }

/* Cursors and statements that are done with, and room for what follows. NULL: no memory. */
static char *dbm__pg_lane_begin(dbm__pg *q, size_t size) {
    char name[28], *to;
    int i;
    if (!dbm__pg_out_room(q, size + 256 + 40 * (size_t)(q->closes.count + q->drops.count))) return NULL;
    to = q->out;
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

static char *dbm__pg_put_begin_run(dbm__pg *q, char *to, uint32_t number) {
    const char *name = q->begin_name;
    q->begin_name[q->begin_size] = (char)('a' + number);
    if ((q->begins >> number & 1u) == 0) {
        char *start = to, block[64];
        dbm__text t = dbm__text_in(block, sizeof block);
        dbm__pg_put_begin(&t, number);
        *to = 'P';
        to = dbm__pg_put_end(start, dbm__pg_to16(dbm__pg_put_name(dbm__pg_put_name(to + 5, name), block), 0));
    }
    return dbm__pg_put_execute(dbm__pg_put_bind(q, to, "", name, 0, false), "", 0);
}

static char *dbm__pg_put_sync(char *to) {
    *to = 'S';
    return dbm__pg_to32(to + 1, 4);
}

/* True: the statement is on its way. */
static bool dbm__pg_lane_start(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->prepared->data;
    char portal[20] = "", *to;
    if (s == NULL || !s->known || !dbm__pg_keeps(q, s) || op->no_wait || !dbm__pg_lane_free(q)) return false;
    if (op->prepared->writes && !s->rowless && q->tx == DBM__PG_TX_NONE) return false; /* its rows are put aside before the first is handed out */
    if (dbm__pg_encode(q, op) != DBM_OK || (to = dbm__pg_lane_begin(q, q->bytes)) == NULL) return false; /* it fails again, and says why */
    dbm__pg_begin_run(q, s, op);
    q->named_run = true;
    q->cursor_run = dbm__pg_by_cursor(q, s, op);
    q->prefix = 0;
    q->beginning = q->wait.count != 0;
    q->wait_used = q->wait.count;
    s->binary_rows = s->binary;
    if (DBM__UNLIKELY(q->beginning)) to = dbm__pg_put_begin_run(q, to, q->wait.at[0].number);
    if (q->cursor_run) {
        s->fetch = dbm__pg_batch_rows(s, DBM__PG_FIRST_ROWS);
        s->cursor = ++q->cursor_names;
        s->depth = q->depth;
        dbm__pg_cursor_name(portal, s->cursor);
    }
    to = dbm__pg_put_bind(q, to, portal, s->name, op->value_count, s->binary);
    to = dbm__pg_put_execute(to, portal, q->cursor_run ? (uint32_t)s->fetch : 0);
    dbm__pg_lane_go(q, dbm__pg_put_sync(to), q->cursor_run);
    return true;
}

static bool dbm__pg_lane_fetch(dbm__pg *q, dbm__pg_statement *s) {
    char portal[20], *to = dbm__pg_lane_begin(q, 0);
    if (to == NULL) return false;
    dbm__pg_cursor_name(portal, s->cursor);
    dbm__pg_lane_on(q, s);
    s->in.row = s->in.at = s->in.end = 0;
    q->mode = DBM__PG_TAKE;
    dbm__pg_lane_go(q, dbm__pg_put_sync(dbm__pg_put_execute(to, portal, (uint32_t)s->fetch)), true);
    return true;
}

static bool dbm__pg_lane_word(dbm__pg *q, const char *word) {
    char *to = dbm__pg_lane_begin(q, 0);
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
    dbm__pg_result_end(s->q, s);
    return DBM_OK;
}

static void dbm__pg_start_fetch(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->result;
    q->main = s;
    if (s->live) {
        q->mode = DBM__PG_TAKE;
        dbm__pg_lane_on(q, s);
        return;
    }
    if (s->lost) {
        dbm__pg_end_local(q, dbm__pg_say(q, DBM_E_ROLLED_BACK, "34000", "the rest of these rows went with the savepoint or the transaction that was rolled back"));
        return;
    }
    s->fetch = dbm__pg_batch_rows(s, DBM__PG_MOST_ROWS);
    q->cursor_run = true;
    if (s->in.data != NULL && dbm__pg_lane_free(q) && q->wait.count == 0 && dbm__pg_lane_fetch(q, s)) return;
    dbm__pg_push_before(q);
    dbm__pg_add(q, &q->sent, DBM__PG_FETCH, (uint32_t)s->fetch);
    dbm__pg_go(q);
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
    quick = op->kind == DBM_OP_COMMIT && op->no_wait && (DBM__PG_PIPELINE || q->lane_on);
    q->retried = false;
    if (op->kind == DBM_OP_ROLLBACK) q->wait.count = 0;
    if (dbm__pg_lane_free(q) && q->wait.count == 0 && dbm__pg_lane_word(q, op->kind == DBM_OP_COMMIT ? "COMMIT" : "ROLLBACK")) {
        if (!quick) return;
        q->owed++;
        dbm__pg_transaction_over(q);
        op->started = false;
        if (q->out_at == q->out_end) dbm__pg_end_local(q, DBM_OK);
        return;
    }
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
            if (dbm__sql_statement_end(sql + at, size - at, DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING, &next) == 0) continue;
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
    switch (PQtransactionStatus(q->conn)) {
    case PQTRANS_IDLE:
        if (q->tx == DBM__PG_TX_OPEN) q->tx = DBM__PG_TX_NONE;
        break;
    case PQTRANS_INTRANS: q->tx = DBM__PG_TX_OPEN; break;
    case PQTRANS_INERROR: q->tx = DBM__PG_TX_OPEN; q->failed_tx = true; break;
    case PQTRANS_ACTIVE: case PQTRANS_UNKNOWN: return DBM__PG_DEAD;
    }
    dbm__pg_forget(q); /* the program may have deallocated them, */
    dbm__pg_schema_changed(q); /* and more */
    return DBM__PG_ALL;
}

/* `word` in capitals. */
static bool dbm__pg_is_word(const char *at, const char *word) {
    for (; *word != '\0'; at++, word++) {
        char c = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        if (c != *word) return false;
    }
    return !((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || *at == '_' || *at == '$');
}

/* The first word of a statement, behind blanks, comments and parentheses. */
static const char *dbm__pg_first_word(const char *sql) {
    for (;;) {
        if (*sql == ' ' || *sql == '\t' || *sql == '\n' || *sql == '\r' || *sql == '\f' || *sql == '(') {
            sql++;
        } else if (sql[0] == '-' && sql[1] == '-') {
            while (*sql != '\0' && *sql != '\n') sql++;
        } else if (sql[0] == '/' && sql[1] == '*') {
            int deep = 1;
            sql += 2;
            while (*sql != '\0' && deep > 0) {
                if (sql[0] == '/' && sql[1] == '*') { deep++; sql += 2; }
                else if (sql[0] == '*' && sql[1] == '/') { deep--; sql += 2; }
                else sql++;
            }
        } else {
            return sql;
        }
    }
}

/* COPY: whether it is from or to the program. One that reads is a query whose rows are what it sends. */
static void dbm__pg_look_at_copy(dbm__pg_statement *s, const dbm_op *op) {
    const unsigned lexer = DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING;
    size_t at = 0, n = 0;
    int depth = 0, words = 0;
    bool in = false, out = false, writes = false;
    const char *word;
    while (!in && !out && (word = dbm__sql_word(op->sql, op->sql_size, lexer, &at, &depth, &n)) != NULL) {
        if (++words == 2) writes = dbm__pg_is_word(word, "INSERT") || dbm__pg_is_word(word, "UPDATE") || dbm__pg_is_word(word, "DELETE") ||
                                   dbm__pg_is_word(word, "MERGE") || dbm__pg_is_word(word, "WITH");
        in = depth == 0 && dbm__pg_is_word(word, "FROM");
        out = depth == 0 && dbm__pg_is_word(word, "TO");
    }
    word = in || out ? dbm__sql_word(op->sql, op->sql_size, lexer, &at, &depth, &n) : NULL;
    if (word == NULL || (!dbm__pg_is_word(word, "STDIN") && !dbm__pg_is_word(word, "STDOUT"))) return; /* a file of the server's */
    s->copies_in = in;
    s->copies_out = op->prepared->returns_rows = out;
    if (out) op->prepared->writes = writes;
}

static dbm_status dbm__pg_prepare(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)dbm_adapter_alloc(q->owner, sizeof *s);
    const char *word = dbm__pg_first_word(op->sql);
    if (s == NULL) return dbm__pg_no_memory(q);
    memset(s, 0, sizeof *s);
    s->q = q;
    s->inserts = dbm__pg_is_word(word, "INSERT");
    s->listens = dbm__pg_is_word(word, "LISTEN");
    s->selects = dbm__pg_is_word(word, "SELECT") || dbm__pg_is_word(word, "VALUES") || dbm__pg_is_word(word, "TABLE") || dbm__pg_is_word(word, "WITH");
    if (DBM__UNLIKELY(dbm__pg_is_word(word, "COPY"))) dbm__pg_look_at_copy(s, op);
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
    PQclear(s->about);
    dbm_adapter_free(q->owner, s->types);
    dbm_adapter_free(q->owner, s->block);
    dbm_adapter_free(q->owner, s);
}

static bool dbm__pg_has_listen(const char *sql) {
    for (; *sql != '\0'; sql++) if ((*sql == 'l' || *sql == 'L') && dbm__pg_is_word(sql, "LISTEN")) return true;
    return false;
}

static void dbm__pg_wait_add(dbm__pg *q, int kind, int number) {
    if (dbm__pg_add(q, &q->wait, kind, (uint32_t)number) == NULL) {
        q->no_memory = false;
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return;
    }
    dbm__pg_end_local(q, DBM_OK);
}

static void dbm__pg_wait_done(dbm__pg *q);

/* ---- a bulk of single rows ------------------------------------------------------------------------------------------
 * They are gathered, and go in flights: SAVEPOINT, the INSERT once for each, RELEASE. When one fails the server has skipped the rest: the next flight
 * undoes what this one did and does it again without that row. The more rows fail, the shorter the flights. */

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
        size_t size = dbm__pg_is_bytes(&values[i]) ? values[i].as.text.size : 0;
        dbm_status st = dbm__pg_check(q, &values[i], i);
        to[i] = values[i];
        if (st == DBM_OK && e->capacity - e->size < size) {
            size_t capacity = 2 * e->capacity + size + 1024;
            char *texts = (char *)dbm_adapter_resize(q->owner, e->texts, capacity);
            if (texts != NULL) {
                e->texts = texts;
                e->capacity = capacity;
            } else {
                st = dbm__pg_no_memory(q);
            }
        }
        if (st != DBM_OK) {
            e->size = from;
            op->bulk->failed_column = i;
            return st;
        }
        if (!dbm__pg_is_bytes(&values[i])) continue;
        if (size != 0) memcpy(e->texts + e->size, values[i].as.text.data, size);
        to[i].as.text.data = (const char *)(uintptr_t)e->size;
        e->size += size;
    }
    e->numbers[e->rows++] = op->bulk->rows;
    return e->rows == DBM__PG_EACH_ROWS || e->size >= DBM__PG_EACH_BYTES ? DBM_DONE : DBM_OK;
}

static dbm_status dbm__pg_take_columns(dbm_connection *c, dbm_op *op, const dbm_column *columns, size_t first, size_t count, size_t *taken) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    int64_t rows = op->bulk->rows;
    dbm_status st = DBM_OK;
    if (DBM__LIKELY(q->each == NULL)) return dbm__pg_bulk_columns(c, op, columns, first, count, taken);
    for (*taken = 0; *taken < count && st == DBM_OK;) {
        dbm_value values[DBM__MAX_VALUES];
        int i;
        DBM_ASSERT(q->each->columns > 0);
        for (i = 0; i < q->each->columns && st == DBM_OK; i++) {
            st = dbm_adapter_element(&columns[i], first + *taken, &values[i]);
            if (st == DBM_OK) continue;
            op->bulk->failed_column = i;
            return dbm__pg_say(q, st, NULL, "the element %s", dbm__element_wrong(columns[i].kind));
        }
        op->bulk->rows = rows + (int64_t)*taken;
        st = dbm__pg_take_row(c, op, values);
        op->bulk->rows = rows;
        if (st == DBM_OK || st == DBM_DONE) ++*taken;
    }
    return st;
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
        if (dbm__pg_is_bytes(&values[i])) values[i].as.text.data = e->texts + (uintptr_t)values[i].as.text.data;
    }
    if (dbm__pg_encode(q, &op) != DBM_OK) {
        q->no_memory = true;
        return false;
    }
    return PQsendQueryPrepared(q->conn, "", e->columns, q->params, q->lengths, q->formats, 0) == 1;
}

static void dbm__pg_each_took(dbm__pg *q, int64_t n) { if (n > 0) q->each->flown += n; }
static void dbm__pg_each_lost(dbm__pg *q, int row) { if (q->each->failed < 0) q->each->failed = row; }

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
    if (q->no_memory) {
        q->outcome = dbm__pg_no_memory(q);
        return true;
    }
    if (!dbm__pg_failed(q)) {
        e->written += e->flown;
        e->first = e->limit;
        if (e->window < DBM__PG_EACH_ROWS) e->window *= 2;
    } else {
        dbm_status st = dbm__pg_refused(q);
        if (e->failed < 0 || (st != DBM_E_CONSTRAINT && st != DBM_E_RANGE && st != DBM_E_SQL && st != DBM_E_MISUSE && st != DBM_E_LIMIT)) {
            q->outcome = st;
            return true;
        }
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
static void dbm__pg_start_bulk(dbm__pg *q, dbm_op *op) {
    q->main = NULL;
    q->copying = q->copy_blind = false;
    if (op->bulk->each_row) {
        dbm__pg_end_local(q, dbm__pg_each_begin(q, op->bulk));
        return;
    }
    q->copy = dbm__pg_copy_make(q->owner, op->bulk);
    if (q->copy == NULL) {
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return;
    }
    op->bulk->data = q->copy;
    dbm__pg_push_before(q);
    q->patience_us = 0;
    dbm__pg_add(q, &q->sent, DBM__PG_PARSE, 0);
    dbm__pg_add(q, &q->sent, DBM__PG_DESCRIBE, 0);
    dbm__pg_go(q);
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
        if (q->sent_error == NULL && op->no_wait && q->owed == 0) return q->unanswered >= DBM_PIPELINE_MAX - 1 ? DBM__PG_ROOM : DBM__PG_GO;
        break;
    case DBM_OP_FETCH: case DBM_OP_COMMIT: break;
    case DBM_OP_ROLLBACK: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: case DBM_OP_SCRIPT: case DBM_OP_PING: case DBM_OP_RESET: case DBM_OP_NATIVE:
    case DBM_OP_COMMAND: case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_BULK: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END:
    case DBM_OP_LISTEN: case DBM_OP_NOTIFIED:
        return DBM__PG_DRAIN;
    }
    return q->sent_error != NULL || q->tx == DBM__PG_TX_NONE || q->owed != 0 ? DBM__PG_DRAIN : DBM__PG_GO;
}

static void dbm__pg_drain(dbm__pg *q) {
    q->before = DBM__PG_DRAIN;
    if (q->unsynced) dbm__pg_go(q);
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
    if (DBM__LIKELY(op->kind == DBM_OP_EXECUTE) && dbm__pg_lane_start(q, op)) return;
    q->of_pipeline = false;
    q->before = q->unanswered != 0 || q->sent_error != NULL || q->owed != 0 ? dbm__pg_before(q, op) : DBM__PG_GO;
    if (DBM__LIKELY(q->before == DBM__PG_GO)) dbm__pg_start_now(q, op);
    else if (q->owed != 0) q->before = DBM__PG_OWED;
    else if (q->before == DBM__PG_ROOM) dbm__pg_ask(q);
    else dbm__pg_drain(q);
}

/* The statements of LISTEN; false: the operation has failed. */
static bool dbm__pg_listen(dbm__pg *q, dbm_op *op) {
    const char *verb = op->listen == DBM_LISTEN_CHANNEL ? "LISTEN \"" : op->listen == (DBM_LISTEN_CHANNEL | DBM_LISTEN_STOP) ? "UNLISTEN \"" : NULL;
    size_t need = 1, i;
    int v;
    char *out;
    if (verb == NULL) {
        dbm__pg_end_local(q, dbm__pg_say(q, DBM_E_UNSUPPORTED, NULL, "PostgreSQL has channels by their names alone, neither patterns nor shards"));
        return false;
    }
    for (v = 0; v < op->value_count; v++) {
        const dbm_value *name = &op->values[v];
        need += strlen(verb) + 2 * name->as.text.size + 2;
        if (name->type == DBM_TYPE_TEXT && memchr(name->as.text.data, 0, name->as.text.size) == NULL) continue;
        dbm__pg_end_local(q, dbm__pg_say(q, DBM_E_RANGE, NULL, "a channel's name is a text without a NUL"));
        return false;
    }
    dbm_adapter_free(q->owner, q->listen);
    q->listen = out = (char *)dbm_adapter_alloc(q->owner, need);
    if (out == NULL) {
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return false;
    }
    for (v = 0; v < op->value_count; v++) {
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
        dbm__pg_end_local(q, dbm__pg_say(q, DBM_E_MISUSE, NULL, "the rows of another statement are still being read on this connection"));
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
        q->dropped = 0;
        if (!s->live) dbm__pg_end_local(q, DBM_OK); /* HOLD */
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
        if (op->kind == DBM_OP_NATIVE || dbm__pg_has_listen(op->sql)) q->lane_on = false;
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
    case DBM_OP_SYNC: dbm__pg_end_local(q, DBM_OK); break;
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
            if (dbm__pg_encode(q, q->op) != DBM_OK) {
                q->outcome = DBM_E_NOMEM;
                return true;
            }
            dbm__pg_push_run(q);
            return q->local;
        }
    }
    q->outcome = dbm__pg_refused(q);
    if (stale) dbm_adapter_fail_retryable(q->c);
    return true;
}

static int64_t dbm__pg_key(dbm__pg *q, dbm__pg_statement *s);
static void dbm__pg_row_width(dbm__pg_statement *s) {
    int i, row, columns = s->columns;
    if (s->in.data != NULL && s->rows > 0) {
        int size = 32 + (int)((s->in.at - s->in.row) / (size_t)s->rows);
        if (size > s->row_size) s->row_size = size;
        return;
    }
    for (row = 0; row < s->rows; row += s->rows / 8 + 1) { /* a look at some */
        int size = 32;
        for (i = 0; i < columns; i++) size += PQgetlength(s->res, row, i) + 16;
        if (size > s->row_size) s->row_size = size;
    }
}

/* A FETCH was answered: what follows it. */
static void dbm__pg_batch_done(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_row_width(s);
    if (s->rows < s->fetch) {
        s->ended = true;
        dbm__pg_close_cursor(q, s);
    }
}

/* What waited has been done; or not, but then the transaction is lost with it. */
static void dbm__pg_wait_done(dbm__pg *q) {
    int i;
    for (i = q->wait_used; i < q->wait.count; i++) q->wait.at[i - q->wait_used] = q->wait.at[i];
    q->wait.count -= q->wait_used;
    q->wait_used = 0;
}

static void dbm__pg_execute_done(dbm__pg *q, dbm__pg_statement *s, int how);

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
        q->outcome = dbm__pg_say(q, DBM_E_LIMIT, NULL, "the statement is done, but its rows are more than row_buffer (%z bytes); run it in a transaction", op->row_buffer);
    }
    if (q->no_memory && q->outcome == DBM_OK) q->outcome = dbm__pg_no_memory(q);
    if (q->outcome == DBM_E_UNSUPPORTED) dbm__pg_say(q, DBM_E_UNSUPPORTED, "0A000", "COPY from the program is not a statement: see dbm_bulk_begin; this one ended the connection");
    if (q->outcome != DBM_OK) {
        s->ended = true;
        dbm__pg_result_end(q, s);
        s->small_runs = 0;
        return true;
    }
    dbm__pg_execute_done(q, s, how);
    return true;
}

/* It has succeeded, as far as it has been read. */
static void dbm__pg_execute_done(dbm__pg *q, dbm__pg_statement *s, int how) {
    dbm_op *op = q->op;
    op->ended = q->was_open && q->tx == DBM__PG_TX_NONE;
    s->seen = true;
    s->live = how == DBM__PG_ROW;
    if (s->res == NULL && s->in.data == NULL) { /* it has no rows */
        if (q->named_run) s->known = s->rowless = s->kept;
        if (s->inserts) op->last_id = op->affected == 0 ? 0 : DBM_LAST_ID_UNKNOWN;
        return;
    }
    op->result = s;
    if (s->in.data == NULL && !(s->known && q->named_run)) {
        /* Types are known for sure while the cursor lives: the batches that follow come in binary. */
        if (!dbm__pg_look_at_types(q, s, s->res, q->named_run ? &s->binary : &s->next_binary)) {
            q->outcome = dbm__pg_no_memory(q);
            return;
        }
        if (q->named_run && s->kept) s->known = dbm__pg_learned(s, PQcopyResult(s->res, PG_COPYRES_ATTRS));
    }
    op->columns = s->columns;
    op->row = s->rows > 0;
    if (q->cursor_run) {
        s->next_cursor = q->cursors;
        q->cursors = s;
        dbm__pg_batch_done(q, s);
        op->affected = -1;
    } else {
        if (!s->live) s->ended = true;
        if (!op->prepared->writes) op->affected = -1;
        op->settled = op->prepared->writes && !s->live;
    }
    if (s->inserts) op->last_id = dbm__pg_key(q, s);
}

static bool dbm__pg_fetch_end(dbm__pg *q, int how) {
    dbm_op *op = q->op;
    dbm__pg_statement *s = q->main;
    if (how == DBM__PG_ROW) return true;
    if (dbm__pg_failed(q)) {
        q->outcome = dbm__pg_refused(q);
        s->live = false;
        s->ended = true;
        if (s->cursor != 0) {
            s->cursor = 0;
            dbm__pg_cursor_unlink(q, s);
        }
        s->rows = 0;
        return true;
    }
    if (q->wait_used != 0) q->wait.count = q->wait_used = 0;
    if (s->live) {
        s->live = false;
        s->ended = true;
        if (op->prepared != NULL && op->prepared->writes) op->affected = q->affected;
        if (s->in.data == NULL) s->rows = s->row = 0;
        q->outcome = s->rows > 0 ? DBM_OK : DBM_DONE;
        return true;
    }
    dbm__pg_batch_done(q, s);
    q->outcome = s->rows > 0 ? DBM_OK : DBM_DONE;
    return true;
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
        dbm__pg_say(q, DBM_E_ROLLED_BACK, "25P02", "the transaction had failed before, so the server rolled it back at COMMIT; nothing was kept");
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
        if (!dbm__pg_pipe(q, false)) {
            q->outcome = dbm__pg_lost(q);
            return true;
        }
        q->state = DBM__PG_NATIVE_USE;
        if (op->kind == DBM_OP_NATIVE) {
            (void)PQsetnonblocking(q->conn, 0);
            op->native = q->conn;
            return true;
        }
        if (PQsendQuery(q->conn, op->sql) != 1) {
            q->outcome = dbm__pg_lost(q);
            return true;
        }
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
            q->outcome = dbm__pg_say(q, DBM_E_UNSUPPORTED, "0A000", "COPY from or to the program can't be part of a script; see dbm_bulk_begin, and dbm_query for COPY ... TO STDOUT");
            return true;
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
    q->sent_error = NULL;
    q->of_pipeline = true;
    q->cursor_run = false;
}

/* The answers were read as far as `how` says. False: there is more to be waited for. */
static bool dbm__pg_end(dbm__pg *q, int how) {
    dbm_op *op = q->op;
    if (how == DBM__PG_ALL && DBM__UNLIKELY(q->sent_error != NULL)) dbm__pg_pipeline_failed(q);
    switch (op->kind) {
    case DBM_OP_EXECUTE: return dbm__pg_execute_end(q, how);
    case DBM_OP_FETCH: return dbm__pg_fetch_end(q, how);
    case DBM_OP_HOLD:
        if (how == DBM__PG_ROW) {
            q->outcome = q->no_memory ? dbm__pg_no_memory(q) : dbm__pg_say(q, DBM_E_LIMIT, NULL, "they are more than row_buffer (%z bytes)", op->row_buffer);
            return true;
        }
        q->main->live = false;
        q->main->ended = true;
        if (dbm__pg_failed(q)) q->outcome = dbm__pg_refused(q);
        return true;
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
        if (how == DBM__PG_DEAD) {
            q->outcome = dbm__pg_lost(q);
            return dbm__pg_done(q);
        }
        if (how == DBM__PG_WAITS) {
            op->fd = q->fd;
            return DBM_STEP_READ;
        }
        q->before = DBM__PG_GO;
        dbm__pg_start_now(q, op);
        if (q->local) return dbm__pg_done(q);
    }
#if DBM__PG_PIPELINE
    if (DBM__UNLIKELY(q->before != DBM__PG_GO || (op->kind == DBM_OP_EXECUTE && op->no_wait && op->queued))) {
        how = !q->fresh && PQconsumeInput(q->conn) != 1 ? DBM__PG_DEAD : dbm__pg_answers(q);
        stirred = q->tls;
        if (q->before == DBM__PG_ROOM && q->sent_error != NULL && how != DBM__PG_DEAD) {
            dbm__pg_drain(q);
            how = dbm__pg_answers(q);
        }
        if (how == DBM__PG_DEAD || q->local) {
            if (!q->local) q->outcome = dbm__pg_lost(q);
            return dbm__pg_done(q);
        }
        if (q->before == DBM__PG_GO) goto wait; /* queued: the rest of it is written */
        if (q->before == DBM__PG_ROOM ? q->unanswered > DBM_PIPELINE_MAX / 2 : how != DBM__PG_ALL) goto wait;
        q->before = DBM__PG_GO;
        if (q->sent_error != NULL) {
            dbm__pg_pipeline_failed(q);
            q->outcome = dbm__pg_refused(q);
            return dbm__pg_done(q);
        }
        dbm__pg_start_now(q, op);
        if (q->local) return dbm__pg_done(q);
        if (op->queued) goto wait;
    }
#endif
    stirred = !q->fresh && q->tls && dbm__net_peek(PQsocket(q->conn)) != DBM_OK;
    if (!q->fresh && PQconsumeInput(q->conn) != 1) {
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
            if (dbm__pg_end(q, how) || q->local) return dbm__pg_done(q);
            if (q->state == DBM__PG_NATIVE_USE) break; /* a script runs */
            how = dbm__pg_answers(q);
            if (how != DBM__PG_WAITS) continue;
        }
        break;
    }
#if DBM__PG_PIPELINE
wait:
#endif
    unsent = PQflush(q->conn);
    if (unsent < 0) {
        q->outcome = dbm__pg_lost(q);
        return dbm__pg_done(q);
    }
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

/* Digits, exactly `count` of them, or as many as there are when it is 0. */
static bool dbm__pg_read_digits(const char **at, int count, int64_t *out) {
    int n = 0;
    *out = 0;
    for (; **at >= '0' && **at <= '9' && (count == 0 || n < count) && n < 9; (*at)++, n++) *out = *out * 10 + (**at - '0');
    return n > 0 && (count == 0 || n == count);
}

/* What timestamp and timestamptz look like with DateStyle ISO. False: it is something else, `infinity` among it. */
static bool dbm__pg_read_timestamp(const char *at, int64_t *us) {
    int64_t year, month, day, hour, minute, second, fraction = 0, offset = 0, days, scale = 100000;
    if (!dbm__pg_read_digits(&at, 0, &year) || *at++ != '-' || !dbm__pg_read_digits(&at, 2, &month) || *at++ != '-' || !dbm__pg_read_digits(&at, 2, &day)
        || *at++ != ' ' || !dbm__pg_read_digits(&at, 2, &hour) || *at++ != ':' || !dbm__pg_read_digits(&at, 2, &minute) || *at++ != ':'
        || !dbm__pg_read_digits(&at, 2, &second)) {
        return false;
    }
    if (*at == '.') for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10) fraction += (*at - '0') * scale;
    if (*at == '+' || *at == '-') {
        bool west = *at++ == '-';
        int64_t part = 0;
        if (!dbm__pg_read_digits(&at, 2, &part)) return false;
        offset = part * 3600;
        if (*at == ':') {
            at++;
            if (!dbm__pg_read_digits(&at, 2, &part)) return false;
            offset += part * 60;
        }
        if (*at == ':') {
            at++;
            if (!dbm__pg_read_digits(&at, 2, &part)) return false;
            offset += part;
        }
        if (west) offset = -offset;
    }
    if (strcmp(at, " BC") == 0) {
        year = 1 - year;
        at += 3;
    }
    if (*at != '\0' || year > DBM__PG_LAST_YEAR) return false;
    days = dbm__pg_days_of(year, (int)month, (int)day);
    *us = (days * 86400 + hour * 3600 + minute * 60 + second - offset) * 1000000 + fraction;
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

static void dbm__pg_uuid(const char *data, char *out) {
    static const char digits[] = "0123456789abcdef";
    int i;
    for (i = 0; i < 16; i++) {
        unsigned char c = (unsigned char)data[i];
        if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
        *out++ = digits[c >> 4];
        *out++ = digits[c & 15];
    }
    *out = '\0';
}

DBM__FN int dbm__pg_hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/* A bytea's text, in either of the forms that bytea_output has; never longer than that text. Ends it with a NUL. */
DBM__FN size_t dbm__pg_bytes(const char *data, size_t size, char *out) {
    char *at = out;
    size_t i;
    if (size >= 2 && data[0] == '\\' && data[1] == 'x') {
        for (i = 2; i + 1 < size; i += 2) *at++ = (char)(dbm__pg_hex(data[i]) * 16 + dbm__pg_hex(data[i + 1]));
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
    bool made;
    dbm__pg_text *text = dbm__pg_text_of(q, s, i, &made);
    if (text == NULL) return dbm__pg_no_memory(q);
    if (!made) {
        text->data = text->block;
        if (type == DBM__PG_UUID) {
            dbm__pg_uuid(data, text->block);
            text->size = 36;
        } else if (type == DBM__PG_DATE) {
            dbm__text t = dbm__text_in(text->block, sizeof text->block);
            int32_t days = (int32_t)dbm__pg_get32(data);
            bool before = false;
            if (days == INT32_MAX) dbm__put(&t, "infinity");
            else if (days == INT32_MIN) dbm__put(&t, "-infinity");
            else dbm__pg_put_date(&t, (int64_t)days + 10957, &before);
            if (before) dbm__put(&t, " BC");
            text->size = t.size;
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
    return dbm__pg_say(q, DBM_E_RANGE, "22008", "column %d is a time after the year %d, which microseconds since 1970 can't tell", i, (int)DBM__PG_LAST_YEAR);
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
    case DBM__PG_INT4:
        out->type = DBM_TYPE_INT;
        out->as.integer = s->binary_rows ? (int64_t)(int32_t)dbm__pg_get32(data) : dbm__pg_read_int(data);
        return DBM_OK;
    case DBM__PG_INT8:
        out->type = DBM_TYPE_INT;
        out->as.integer = s->binary_rows ? dbm__pg_get64(data) : dbm__pg_read_int(data);
        return DBM_OK;
    case DBM__PG_INT2:
        out->type = DBM_TYPE_INT;
        out->as.integer = s->binary_rows ? (int64_t)(int16_t)((unsigned char)data[0] << 8 | (unsigned char)data[1]) : dbm__pg_read_int(data);
        return DBM_OK;
    case DBM__PG_OID:
        out->type = DBM_TYPE_INT;
        out->as.integer = s->binary_rows ? (int64_t)dbm__pg_get32(data) : dbm__pg_read_int(data);
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
            else if (us >= dbm__pg_days_of(DBM__PG_LAST_YEAR + 1, 1, 1) * INT64_C(86400000000) - DBM__PG_EPOCH) return dbm__pg_too_late(q, i);
            else {
                out->type = DBM_TYPE_TIMESTAMP;
                out->as.integer = us + DBM__PG_EPOCH;
            }
            return DBM_OK;
        }
        if (dbm__pg_read_timestamp(data, &out->as.integer)) out->type = DBM_TYPE_TIMESTAMP;
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
    return PQfname(s->res != NULL ? s->res : s->about, i);
}

/* The first column of RETURNING, when it is a number. */
static int64_t dbm__pg_key(dbm__pg *q, dbm__pg_statement *s) {
    dbm_op look;
    dbm_value v;
    if (s->rows == 0) return 0;
    memset(&look, 0, sizeof look);
    look.result = s;
    if (s->columns == 0 || dbm__pg_column(q->c, &look, 0, &v) != DBM_OK || v.type != DBM_TYPE_INT) return DBM_LAST_ID_UNKNOWN;
    return v.as.integer;
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

static int dbm__pg_trace_number(const char **at) {
    uint32_t n = 0;
    bool minus = false;
    while (**at == ' ' || **at == '\t') (*at)++;
    if (**at == '-') {
        minus = true;
        (*at)++;
    }
    for (; **at >= '0' && **at <= '9'; (*at)++) n = n * 10 + (uint32_t)(**at - '0');
    return (int)(minus ? 0 - n : n);
}

static void dbm__pg_trace_end(dbm__pg *q, bool read) {
    if (q->trace == NULL) return;
    if (q->conn != NULL) PQuntrace(q->conn);
    (void)fclose(q->trace);
    q->trace = NULL;
    if (q->trace_text == NULL) return;
    if (read) {
        const char *at = strstr(q->trace_text, "BackendKeyData");
        if (at != NULL) {
            at += strlen("BackendKeyData");
            q->pid = dbm__pg_trace_number(&at);
            q->key = dbm__pg_trace_number(&at);
            q->has_key = q->pid == PQbackendPID(q->conn);
        }
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
    dbm__pg_trace_end(q, false);
    q->kill.until_us = 0;
    (void)dbm__pg_kill_step(q, &q->kill);
    dbm__pg_failure_drop(q);
    PQfreemem(q->told);
    dbm_adapter_free(db, q->listen);
    dbm__pg_copy_free(q->copy);
    dbm__pg_each_free(q);
    PQclear(q->sent_error);
    if (q->conn != NULL) PQfinish(q->conn);
    dbm_adapter_free(db, q->sent.at);
    dbm_adapter_free(db, q->wait.at);
    dbm_adapter_free(db, q->closes.at);
    dbm_adapter_free(db, q->drops.at);
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

static bool dbm__pg_has(const char *text, const char *word) { return strstr(text, word) != NULL; }

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
    if (strncmp(sqlstate, "28", 2) == 0 || (sqlstate[0] == '\0' && PQconnectionNeedsPassword(q->conn))) status = DBM_E_AUTH;
    else if (strcmp(sqlstate, "3D000") == 0) status = DBM_E_UNKNOWN_NAME;
    else if (sqlstate[0] == '\0' && (q->ssl_phase || dbm__pg_has(said, "SSL error")) &&
             (dbm__pg_has(said, "SSL") || dbm__pg_has(said, "certificate") || dbm__pg_has(said, "private key") || dbm__pg_has(said, "TLS"))) {
        status = DBM_E_TLS;
    } else {
        status = DBM_E_CONNECT;
    }
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
    if (q->owed != 0) {
        if (dbm__pg_lane_read(q, &q->in) == DBM__PG_DEAD) return DBM_E_LOST;
        if (q->awaited != 0) return DBM_OK;
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
    int count = 1;
    char *first = hosts;
    bool bracket = false, port = false;
    for (;; list++) {
        if (*list == ',' || *list == '\0') {
            if (!dbm__pg_local(first, (size_t)(hosts - first))) *remote = true;
            *hosts++ = *ports++ = *list;
            first = hosts;
            port = false;
            if (*list == '\0') return count;
            count++;
        } else if (*list == '[' || *list == ']') {
            bracket = *list == '[';
        } else if (*list == ':' && !bracket) {
            port = true;
        } else if (*list == '%' && dbm__pg_hex(list[1]) >= 0 && dbm__pg_hex(list[2]) >= 0) {
            *hosts++ = (char)(dbm__pg_hex(list[1]) * 16 + dbm__pg_hex(list[2]));
            list += 2;
        } else if (port) {
            *ports++ = *list;
        } else {
            *hosts++ = *list;
        }
    }
}

static void dbm__pg_set(dbm__pg_base *base, const char *key, const char *value) {
    if (value == NULL) return;
    base->keys[base->count] = key;
    base->values[base->count++] = value;
}

/* A number in the block behind `*at`. */
static const char *dbm__pg_number(char **at, int n) {
    dbm__text t = dbm__text_in(*at, 16);
    dbm__putf(&t, "%d", n);
    *at += 16;
    return t.data;
}

static dbm_status dbm__pg_fill(dbm_database *db, dbm__pg_base *base, char *at) {
    static const char prefix[] = "connect_args.";
    static const char *const modes[] = { NULL, "disable", "prefer", "require", "verify-ca", "verify-full" };
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    const char *zone = NULL;
    PQconninfoOption *known = PQconninfoParse("", NULL);
    dbm_status status = DBM_OK;
    size_t i;
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
    for (i = 0; i < url->parameter_count && status == DBM_OK; i++) {
        const dbm_option *p = &url->parameters[i];
        status = dbm__pg_check_key(db, known, p->name, "the URL's parameter");
        if (strcmp(p->name, "sslmode") == 0 && tls != DBM_TLS_DEFAULT && config->tls != DBM_TLS_DEFAULT) continue;
        dbm__pg_set(base, p->name, p->value);
        if (strcmp(p->name, "options") == 0) zone = p->value;
    }
    for (i = 0; i < config->option_count && status == DBM_OK; i++) {
        const char *name = config->options[i].name;
        if (strncmp(name, prefix, sizeof prefix - 1) != 0) continue;
        name += sizeof prefix - 1;
        status = dbm__pg_check_key(db, known, name, "the connect_args key");
        dbm__pg_set(base, name, config->options[i].value);
        if (strcmp(name, "options") == 0) zone = config->options[i].value;
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
    size_t size = sizeof(dbm__pg_base) + 2 * pairs * sizeof(char *) + 2 * (strlen(url->hosts) + 1) + 4 * 16;
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
    DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS | DBM_ADAPTER_SOCKET | DBM_ADAPTER_ONE_RESULT | DBM_ADAPTER_STOPS | DBM_ADAPTER_LISTEN | (DBM__PG_PIPELINE ? DBM_ADAPTER_PIPELINE : 0),
    DBM_PH_DOLLAR, DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING,
    dbm__pg_init, dbm__pg_close,
    NULL, dbm__pg_disconnect, dbm__pg_alive, NULL, NULL, dbm__pg_cancel,
    NULL,
    dbm__pg_finish, dbm__pg_fetch, dbm__pg_column, dbm__pg_column_name,
    dbm__pg_start, dbm__pg_step,
    dbm__pg_take_row, dbm__pg_take_columns
};

DBM__FN const dbm_adapter *dbm__adapter_postgresql(void) { return &dbm__postgresql_adapter; }

#endif /* DBM_HAS_POSTGRESQL */
