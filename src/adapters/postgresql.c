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
    DBM__PG_SYNC
};
enum { DBM__PG_TX_NONE = 0, DBM__PG_TX_QUEUED, DBM__PG_TX_OPEN };
enum { DBM__PG_TAKE = 0, DBM__PG_FIRST, DBM__PG_KEEP, DBM__PG_DROP }; /* what is done with rows that come singly */
enum { DBM__PG_GO = 0, DBM__PG_ROOM, DBM__PG_DRAIN }; /* what must come before the operation: some answers of the pipeline, all of them */
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
    bool own_zone;           /* the program chose its TimeZone in `options` */
    bool remote;             /* some host is neither this machine nor a socket file */
} dbm__pg_base;

/* A row that was put aside: its cells, then their bytes. */
typedef struct dbm__pg_cell { const char *data; int size; } dbm__pg_cell; /* size -1: NULL */
typedef struct dbm__pg_held { struct dbm__pg_held *next; dbm__pg_cell cells[1]; } dbm__pg_held;

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
    bool kept;               /* is on the server */
    bool seen;               /* ran before */
    bool known;              /* so are the columns' types, in `types`, */
    bool rowless;            /* or that it has none */
    bool binary;             /* all columns of the one on the server can be read in binary */
    bool inserts, selects;
    bool copies_in, copies_out; /* COPY ... FROM STDIN, COPY ... TO STDOUT */
    unsigned char small_runs; /* in a row, whose rows were few */
    int row_size;            /* of the largest row so far, about */
    /* of the result in progress */
    PGresult *res;           /* its columns, and the row or rows in hand */
    int row, rows;
    bool live, ended, binary_rows, next_binary, lost;
    bool copying;            /* COPY sends its rows */
    char *copied;            /* the one in hand, libpq's */
    int copied_size;
    uint32_t cursor;         /* open on the server; 0: none */
    int depth;
    int fetch;               /* rows of the last FETCH */
    int64_t total;
    Oid *types;              /* of its columns */
    int types_capacity;
    uint32_t serial;         /* of the row in hand */
    dbm__pg_held *held, *last_held, *now; /* now: the row in hand, when it is one of them */
    size_t held_size;
    dbm__pg_text *texts;
    int texts_count;
    struct dbm__pg_statement *next_cursor;
} dbm__pg_statement;

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
    bool solo;               /* a RUN is under way that `sent` does not tell of */
    bool tls;
    bool whole;              /* the rows that are about to be read have all arrived, and are few */
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
    bool cancel_sent;        /* of our own, to stop rows that nobody wants */
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
    PGresult *error;         /* the first failure of this operation */
    dbm_status outcome;
    dbm__pg_statement *cursors;
    dbm__pg_copy *copy;      /* the bulk that is open */
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
    int params_capacity;
    char look[4096];         /* what has arrived, see dbm__pg_all_here */
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

static dbm_status dbm__pg_lost(dbm__pg *q) {
    char block[700];
    dbm__text t = dbm__text_in(block, sizeof block);
    if (q->poisoned) {
        dbm__put(&t, "the connection could not be reset after its last use");
    } else {
        dbm__put(&t, "the connection was lost");
        if (q->error != NULL && PQresultErrorField(q->error, PG_DIAG_MESSAGE_PRIMARY) != NULL) {
            dbm__put(&t, ": ");
            dbm__pg_words(&t, PQresultErrorField(q->error, PG_DIAG_MESSAGE_PRIMARY));
        } else if (PQerrorMessage(q->conn)[0] != '\0') {
            dbm__put(&t, ": ");
            dbm__pg_words(&t, PQerrorMessage(q->conn));
        }
    }
    dbm__text_end(&t);
    dbm_adapter_fail(q->c, DBM_E_LOST, q->error != NULL ? PQresultErrorField(q->error, PG_DIAG_SQLSTATE) : NULL, 0, block);
    dbm_adapter_broken(q->c);
    return DBM_E_LOST;
}

static const char *dbm__pg_state_of(const PGresult *error) {
    const char *state = PQresultErrorField(error, PG_DIAG_SQLSTATE);
    return state != NULL ? state : "";
}

/* A plan that the server keeps is no longer good, or is gone: a schema was changed, a pooler gave another server. */
static bool dbm__pg_is_stale(const PGresult *error) {
    const char *state = dbm__pg_state_of(error), *where = PQresultErrorField(error, PG_DIAG_SOURCE_FUNCTION);
    return strcmp(state, "26000") == 0 || (strcmp(state, "0A000") == 0 && where != NULL && strcmp(where, "RevalidateCachedQuery") == 0);
}

/* What the server said about the operation. */
static dbm_status dbm__pg_refused(dbm__pg *q) {
    const PGresult *e = q->error;
    const char *state = dbm__pg_state_of(e), *primary = PQresultErrorField(e, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(e, PG_DIAG_MESSAGE_DETAIL), *hint = PQresultErrorField(e, PG_DIAG_MESSAGE_HINT);
    const char *position = PQresultErrorField(e, PG_DIAG_STATEMENT_POSITION), *name;
    char block[1000], column[160];
    dbm__text t = dbm__text_in(block, sizeof block);
    dbm_status status = DBM_OK;
    if (PQstatus(q->conn) == CONNECTION_BAD || strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0) return dbm__pg_lost(q);
    if (primary != NULL) dbm__pg_words(&t, primary);
    else dbm__pg_words(&t, PQresultErrorMessage(e));
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
    }
    if (strcmp(state, "25001") == 0) dbm__put(&t, "; give the session .autocommit = 1");
    if (strcmp(state, "26000") == 0 || strcmp(state, "42P05") == 0) dbm__put(&t, "; behind a pooler of transactions, such as PgBouncer, set statement_cache = 0");
    dbm__text_end(&t);
    if (strcmp(state, "57014") == 0) { /* nobody here asked for it: the server's own time limit did */
        status = dbm__load(&q->cancelled) == 0 && dbm_adapter_config(q->owner)->statement_timeout_ms > 0 ? DBM_E_TIMEOUT : DBM_E_CANCELLED;
    }
    status = dbm_adapter_fail(q->c, status, state, 0, block);
    if (q->of_pipeline && dbm__pg_is_stale(e)) dbm_adapter_fail_retryable(q->c);
    if (status == DBM_E_CONSTRAINT) {
        name = PQresultErrorField(e, PG_DIAG_CONSTRAINT_NAME);
        if (strcmp(state, "23502") == 0) {
            const char *table = PQresultErrorField(e, PG_DIAG_TABLE_NAME), *field = PQresultErrorField(e, PG_DIAG_COLUMN_NAME);
            dbm__format(column, sizeof column, "%s%s%s", table != NULL ? table : "", table != NULL && field != NULL ? "." : "", field != NULL ? field : "");
            name = column;
        }
        dbm_adapter_fail_constraint(q->c, strcmp(state, "23505") == 0 ? DBM_CONSTRAINT_UNIQUE : strcmp(state, "23502") == 0 ? DBM_CONSTRAINT_NOT_NULL
                                    : strcmp(state, "23503") == 0 ? DBM_CONSTRAINT_FOREIGN_KEY : strcmp(state, "23514") == 0 ? DBM_CONSTRAINT_CHECK
                                    : strcmp(state, "23P01") == 0 ? DBM_CONSTRAINT_EXCLUSION : DBM_CONSTRAINT_OTHER, name);
    }
    return status;
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

/* All values go as text, which the server reads exactly for whatever type it inferred; blobs alone go as they are. true and false are 1
 * and 0, which every type that takes a truth value reads, integers among them. */
static dbm_status dbm__pg_encode(dbm__pg *q, const dbm_op *op) {
    size_t need = op->sql_size + 64;
    char *at;
    int i;
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
        if (v->type < DBM_TYPE_TEXT || v->type == DBM_TYPE_TIMESTAMP) continue;
        if (v->as.text.size >= (size_t)INT_MAX / 2) return dbm__pg_say(q, DBM_E_LIMIT, "54000", "value %d has %z bytes; PostgreSQL takes 1 GB", i + 1, v->as.text.size);
        if (v->type != DBM_TYPE_BLOB) need += v->as.text.size;
    }
    if (!dbm__pg_room(q, need)) return dbm__pg_no_memory(q);
    at = q->block;
    q->blobs = false;
    for (i = 0; i < op->value_count; i++) {
        const dbm_value *v = &op->values[i];
        dbm__text t;
        q->params[i] = at;
        q->lengths[i] = 0;
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
            break;
        }
        case DBM_TYPE_UINT:
            t = dbm__text_in(at, 40);
            dbm__putf(&t, "%u", v->as.uinteger);
            at += t.size + 1;
            break;
        case DBM_TYPE_DOUBLE:
            dbm__double_write(v->as.real, at);
            at += 40;
            break;
        case DBM_TYPE_BOOL: q->params[i] = v->as.integer != 0 ? "1" : "0"; break;
        case DBM_TYPE_TIMESTAMP:
            t = dbm__text_in(at, 40);
            dbm__pg_put_timestamp(&t, v->as.integer);
            at += t.size + 1;
            break;
        case DBM_TYPE_BLOB:
            q->params[i] = v->as.text.size != 0 ? v->as.text.data : "";
            q->lengths[i] = (int)v->as.text.size;
            q->formats[i] = 1;
            q->blobs = true;
            break;
        case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
            if (v->as.text.size != 0) {
                if (memchr(v->as.text.data, 0, v->as.text.size) != NULL) {
                    return dbm__pg_say(q, DBM_E_RANGE, "22021", "value %d is a text with a NUL byte, which PostgreSQL can't store; pass it as dbm_blob", i + 1);
                }
                memcpy(at, v->as.text.data, v->as.text.size);
            }
            at[v->as.text.size] = '\0';
            at += v->as.text.size + 1;
            break;
        case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED:
            return dbm__pg_say(q, DBM_E_MISUSE, NULL, "value %d is none", i + 1);
        }
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

static bool dbm__pg_emit(dbm__pg *q, const dbm__pg_item *item) {
    static const char *const levels[] = { "", " ISOLATION LEVEL READ UNCOMMITTED", " ISOLATION LEVEL READ COMMITTED", " ISOLATION LEVEL REPEATABLE READ",
        " ISOLATION LEVEL SERIALIZABLE" };
    char block[400];
    dbm__text t = dbm__text_in(block, sizeof block);
    dbm__pg_statement *s = q->main;
    const dbm_op *op = q->op;
    switch (item->kind) {
    case DBM__PG_BEGIN:
        dbm__put(&t, "BEGIN");
        dbm__put(&t, levels[(item->number & 7u) <= 4u ? item->number & 7u : 0]);
        if (item->number & 8u) dbm__put(&t, " READ ONLY");
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
    case DBM__PG_PARSE: return PQsendPrepare(q->conn, "", dbm__pg_copy_select(q->copy), 0, NULL) == 1;
    case DBM__PG_DESCRIBE: return PQsendDescribePrepared(q->conn, "") == 1;
    /* By the simple protocol: a Sync that rides with a COPY may be answered twice when it fails at once. */
    case DBM__PG_COPY: return PQsendQuery(q->conn, dbm__pg_copy_command(q->copy)) == 1;
    case DBM__PG_PREPARE: return PQsendPrepare(q->conn, item->s->name, op->sql, 0, NULL) == 1;
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
    if (DBM__UNLIKELY(s->now != NULL)) {
        dbm_adapter_free(s->q->owner, s->now);
        s->now = NULL;
    }
    if (DBM__UNLIKELY(s->copied != NULL)) {
        PQfreemem(s->copied);
        s->copied = NULL;
    }
}

/* Puts a row aside: of a result, or, where that is NULL, the one column of COPY. */
static bool dbm__pg_keep(dbm__pg *q, dbm__pg_statement *s, const PGresult *res, const char *data, int length) {
    int i, columns = res != NULL ? PQnfields(res) : 1;
    size_t size = sizeof(dbm__pg_held) + (size_t)(columns > 1 ? columns - 1 : 0) * sizeof(dbm__pg_cell);
    dbm__pg_held *held;
    char *at;
    for (i = 0; i < columns; i++) size += (size_t)(res != NULL ? PQgetlength(res, 0, i) : length) + 1;
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
    at = (char *)(held->cells + (columns > 1 ? columns : 1));
    for (i = 0; i < columns; i++) {
        int bytes = res != NULL ? PQgetlength(res, 0, i) : length;
        held->cells[i].data = at;
        held->cells[i].size = res != NULL && PQgetisnull(res, 0, i) ? -1 : bytes;
        memcpy(at, res != NULL ? PQgetvalue(res, 0, i) : data, (size_t)bytes);
        at[bytes] = '\0';
        at += bytes + 1;
    }
    if (s->last_held != NULL) s->last_held->next = held;
    else s->held = held;
    s->last_held = held;
    s->held_size += size;
    return true;
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
    q->drops.count = q->drops.head = 0;
}

DBM__INLINE void dbm__pg_res(dbm__pg_statement *s, PGresult *res) {
    if (s->res != NULL) PQclear(s->res);
    s->res = res;
}

/* A statement without rows has run. */
static int64_t dbm__pg_ran(dbm__pg *q, PGresult *res) {
    const char *tag = PQcmdStatus(res);
    if (DBM__UNLIKELY(tag[0] == 'D' && (strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0))) dbm__pg_forget(q);
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
        if (q->mode == DBM__PG_KEEP && !dbm__pg_keep(q, s, res, NULL, 0)) {
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
            s->copied = data;
            s->copied_size = n;
            s->row = 0;
            s->rows = 1;
            if (q->mode == DBM__PG_TAKE) return DBM__PG_ROW;
            continue;
        }
        if (q->mode == DBM__PG_KEEP && !dbm__pg_keep(q, s, NULL, data, n)) {
            PQfreemem(data);
            return DBM__PG_ROW;
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
    PGresult **to;
    if (item->silent) {
        if (item->kind != DBM__PG_COMMIT) q->poisoned = true; /* a reset; a COMMIT of what only read has nothing to lose */
        PQclear(res);
        return;
    }
    if (item->kind == DBM__PG_SENT && dbm__pg_is_stale(res)) dbm__pg_unkeep(q, item->s, strcmp(dbm__pg_state_of(res), "26000") != 0);
    if (item->kind == DBM__PG_PREPARE) item->s->kept = false;
    /* What goes before one of the pipeline fails for it. */
    for (next = item; next < q->sent.at + q->sent.count && next->kind != DBM__PG_SENT && next->kind != DBM__PG_SYNC; next++) {}
    to = (next < q->sent.at + q->sent.count && next->kind == DBM__PG_SENT) || (item->kind == DBM__PG_SYNC && dbm__pg_sent_alone(q)) ? &q->sent_error : &q->error;
    if (*to == NULL) *to = res;
    else PQclear(res);
}

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
        if (item->kind == DBM__PG_PREPARE) {
            item->s->kept = true;
            item->s->age = q->age;
        }
        if (item->kind == DBM__PG_SENT) dbm__pg_sent_done(q, item, res, status);
        if (item->kind == DBM__PG_RUN) q->affected = dbm__pg_ran(q, res);
        if (item->kind == DBM__PG_COPY) q->affected = dbm__pg_count(res);
        if (item->kind == DBM__PG_DESCRIBE) {
            if (!dbm__pg_copy_described(q->copy, q->conn, res)) q->no_memory = true;
            return false;
        }
        if (item->kind == DBM__PG_COMMIT && !item->silent && strcmp(PQcmdStatus(res), "ROLLBACK") == 0) q->outcome = DBM_E_ROLLED_BACK;
        if (item->kind == DBM__PG_DISCARD) dbm__pg_forget(q);
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
            if (!q->whole) (void)PQsetSingleRowMode(q->conn);
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
    q->whole = false;
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

/* Names are this connection's alone: a pooler of transactions must not find another client's statement under one of them. */
static void dbm__pg_add_prepare(dbm__pg *q, dbm__pg_statement *s) {
    dbm__pg_item *item = dbm__pg_add(q, &q->sent, DBM__PG_PREPARE, 0);
    s->id = ++q->names;
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

DBM__INLINE void dbm__pg_begin_run(dbm__pg *q, dbm__pg_statement *s, const dbm_op *op) {
    q->main = s;
    dbm__pg_result_begin(s);
    q->retried = false;
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
    if (s->kept && s->age != q->age) s->kept = false;
    q->cursor_run = dbm__pg_by_cursor(q, s, op);
    q->named_run = false;
    if (q->cursor_run) {
        int n = s->row_size > 0 ? DBM__PG_BATCH_BYTES / s->row_size : DBM__PG_FIRST_ROWS;
        s->fetch = n < 1 ? 1 : n > DBM__PG_FIRST_ROWS ? DBM__PG_FIRST_ROWS : n;
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

/* Into the pipeline. In a transaction the server answers when it is told to, outside of one at each SYNC; libpq keeps at most some
 * 64 KB and one statement. */
static void dbm__pg_start_send(dbm__pg *q, dbm_op *op) {
#if DBM__PG_PIPELINE
    dbm__pg_statement *s = (dbm__pg_statement *)op->prepared->data;
    dbm__pg_item *item;
    int i;
    dbm__pg_push_before(q);
    if (s->kept && s->age != q->age) s->kept = false;
    q->named_run = q->base->cached && s->seen;
    if (q->named_run && !s->kept) {
        dbm__pg_add_prepare(q, s);
        s->kept = true; /* it is when those behind it run */
        s->age = q->age;
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

/* The short way: a statement that the server has, while nothing else is due, and not by TLS, which may have read what a poll then waits for. True: it is
 * on its way, and dbm__pg_solo_step() takes its answer. */
static bool dbm__pg_solo_start(dbm__pg *q, dbm_op *op) {
    dbm__pg_statement *s = (dbm__pg_statement *)op->prepared->data;
    if (s == NULL || !s->known || !s->kept || s->age != q->age || q->tls || q->setup || op->no_wait) return false;
    if ((q->sent.count | q->wait.count | q->closes.count | q->drops.count) != 0 || dbm__pg_by_cursor(q, s, op)) return false;
    if (dbm__pg_encode(q, op) != DBM_OK || (q->piped && !dbm__pg_pipe(q, false)) || !dbm__pg_send_named(q, s, op, s->binary)) return false; /* it fails again, and says why */
    dbm__pg_begin_run(q, s, op);
    q->named_run = q->solo = true;
    q->cursor_run = q->armed = q->whole = false;
    if (PQflush(q->conn) != 0) return true;
    op->fd = PQsocket(q->conn);
    op->started = true;
    q->fresh = false;
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
    int n;
    q->main = s;
    if (s->live) {
        q->mode = DBM__PG_TAKE;
        return;
    }
    if (s->lost) {
        dbm__pg_end_local(q, dbm__pg_say(q, DBM_E_ROLLED_BACK, "34000", "the rest of these rows went with the savepoint or the transaction that was rolled back"));
        return;
    }
    n = s->row_size > 0 ? DBM__PG_BATCH_BYTES / s->row_size : DBM__PG_FIRST_ROWS;
    s->fetch = n < 1 ? 1 : n > DBM__PG_MOST_ROWS ? DBM__PG_MOST_ROWS : n;
    q->cursor_run = true;
    dbm__pg_push_before(q);
    dbm__pg_add(q, &q->sent, DBM__PG_FETCH, (uint32_t)s->fetch);
    dbm__pg_go(q);
}

static void dbm__pg_start_commit(dbm__pg *q, dbm_op *op) {
    bool quick = false;
    dbm__pg_item *item;
    if (q->tx != DBM__PG_TX_OPEN) { /* it was never sent */
        dbm__pg_transaction_over(q);
        dbm__pg_end_local(q, DBM_OK);
        return;
    }
    q->closes.count = 0;
#if DBM__PG_PIPELINE
    quick = op->kind == DBM_OP_COMMIT && op->no_wait;
#endif
    if (op->kind == DBM_OP_ROLLBACK) q->wait.count = 0;
    else dbm__pg_push_waiting(q, quick);
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

/* Where libpq is not in the state that our flow needs: after dbm_native, or before a script. */
static bool dbm__pg_return_from_native(dbm__pg *q) {
    PGresult *res;
    if (q->state != DBM__PG_NATIVE_USE) return true;
    while ((res = PQgetResult(q->conn)) != NULL) { /* of commands that the program has not read to the end; blocks as long as they run */
        ExecStatusType status = PQresultStatus(res);
        PQclear(res);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH || PQstatus(q->conn) == CONNECTION_BAD) break;
    }
    (void)PQsetnonblocking(q->conn, 1);
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
    case PQTRANS_ACTIVE: case PQTRANS_UNKNOWN: return false;
    }
    dbm__pg_forget(q); /* the program may have deallocated them */
    return true;
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
    dbm_adapter_free(q->owner, s->types);
    dbm_adapter_free(q->owner, s);
}

static void dbm__pg_wait_add(dbm__pg *q, int kind, int number) {
    if (dbm__pg_add(q, &q->wait, kind, (uint32_t)number) == NULL) {
        q->no_memory = false;
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return;
    }
    dbm__pg_end_local(q, DBM_OK);
}

/* The columns' types ride with BEGIN or SAVEPOINT; then COPY is sent alone, see dbm__pg_bulk_end. */
static void dbm__pg_start_bulk(dbm__pg *q, dbm_op *op) {
    q->main = NULL;
    q->copying = q->copy_blind = false;
    if (op->bulk->each_row) {
        dbm__pg_end_local(q, DBM_E_UNSUPPORTED);
        return;
    }
    q->copy = dbm__pg_copy_make(q->owner, op->bulk);
    if (q->copy == NULL) {
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return;
    }
    op->bulk->data = q->copy;
    dbm__pg_push_before(q);
    dbm__pg_add(q, &q->sent, DBM__PG_PARSE, 0);
    dbm__pg_add(q, &q->sent, DBM__PG_DESCRIBE, 0);
    dbm__pg_go(q);
}

static dbm_status dbm__pg_connect_start(dbm_connection *c, dbm_op *op);
static void dbm__pg_start_now(dbm__pg *q, dbm_op *op);

/* What of the pipeline must be answered before the operation begins: all, where one that failed would not keep the operation from being done. */
static int dbm__pg_before(const dbm__pg *q, const dbm_op *op) {
    switch (op->kind) {
    case DBM_OP_BEGIN: case DBM_OP_SAVEPOINT: case DBM_OP_PREPARE: case DBM_OP_UNPREPARE: case DBM_OP_HOLD: case DBM_OP_FINISH: case DBM_OP_CONNECT:
    case DBM__OP_SIGNED:
        return DBM__PG_GO;
    case DBM_OP_EXECUTE:
        if (q->sent_error == NULL && op->no_wait) return q->unanswered >= DBM_PIPELINE_MAX - 1 ? DBM__PG_ROOM : DBM__PG_GO;
        break;
    case DBM_OP_FETCH: case DBM_OP_COMMIT: break;
    case DBM_OP_ROLLBACK: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: case DBM_OP_SCRIPT: case DBM_OP_PING: case DBM_OP_RESET: case DBM_OP_NATIVE:
    case DBM_OP_COMMAND: case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_BULK: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END:
    case DBM_OP_LISTEN: case DBM_OP_NOTIFIED:
        return DBM__PG_DRAIN;
    }
    return q->sent_error != NULL || q->tx == DBM__PG_TX_NONE ? DBM__PG_DRAIN : DBM__PG_GO;
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
    q->local = q->full = q->no_memory = q->cancel_sent = false;
    q->before = DBM__PG_GO;
    q->was_open = q->tx == DBM__PG_TX_OPEN;
    q->affected = -1;
    q->wait_used = 0;
    if (q->error != NULL) {
        PQclear(q->error);
        q->error = NULL;
    }
    q->fresh = true;
    dbm__store(&q->cancelled, 0);
    if (DBM__UNLIKELY(q->state == DBM__PG_NATIVE_USE) && op->kind != DBM_OP_NATIVE && op->kind != DBM_OP_PREPARE && op->kind != DBM_OP_UNPREPARE
        && !dbm__pg_return_from_native(q)) {
        dbm__pg_end_local(q, dbm__pg_lost(q));
        return;
    }
    if (DBM__LIKELY(op->kind == DBM_OP_EXECUTE) && dbm__pg_solo_start(q, op)) return;
    q->of_pipeline = false;
    q->before = q->unanswered != 0 || q->sent_error != NULL ? dbm__pg_before(q, op) : DBM__PG_GO;
    if (DBM__LIKELY(q->before == DBM__PG_GO)) dbm__pg_start_now(q, op);
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
    if (DBM__UNLIKELY(q->sent.head < q->sent.count && q->sent.at[q->sent.head].kind == DBM__PG_RUN) &&
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
        if (q->sent.count != 0) dbm__pg_go(q);
        break;
    case DBM_OP_BULK: dbm__pg_start_bulk(q, op); break;
    case DBM_OP_BULK_SEND: case DBM_OP_BULK_END:
        q->main = NULL;
        if (q->given_up || !q->copying) dbm__pg_end_local(q, op->bulk->abandon ? DBM_OK : dbm__pg_lost(q));
        else if (op->kind == DBM_OP_BULK_END && !op->bulk->abandon) q->no_memory = !dbm__pg_copy_last(q->copy);
        break;
    case DBM_OP_SYNC: dbm__pg_end_local(q, DBM_OK); break;
    case DBM_OP_NOTIFIED: q->op = NULL; break; /* it may be left at any time */
    case DBM_OP_CONNECT: case DBM_OP_COMMAND: case DBM_OP_RECEIVE: case DBM__OP_SIGNED: dbm__pg_end_local(q, DBM_E_UNSUPPORTED); break;
    }
}

/* ---- how operations end ------------------------------------------------------------------------------------------- */

static void dbm__pg_cancel(dbm_connection *c);

static bool dbm__pg_stale(const dbm__pg *q) { return q->named_run && q->error != NULL && !q->of_pipeline && dbm__pg_is_stale(q->error); }

/* False: the operation goes on. */
static bool dbm__pg_execute_failed(dbm__pg *q, bool began) {
    dbm__pg_statement *s = q->main;
    bool stale = dbm__pg_stale(q);
    if (s->cursor != 0) s->cursor = 0;
    if (stale && PQstatus(q->conn) != CONNECTION_BAD) {
        dbm__pg_unkeep(q, s, s->kept && strcmp(dbm__pg_state_of(q->error), "26000") != 0);
        if (!q->retried && (q->tx == DBM__PG_TX_NONE || began)) { /* nothing came before it: all of it is sent again */
            q->retried = true;
            PQclear(q->error);
            q->error = NULL;
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

/* What the columns of s->res are, and whether all can be read in binary. */
static bool dbm__pg_look_at_types(dbm__pg *q, dbm__pg_statement *s, int columns, bool *binary) {
    int i;
    if (columns > s->types_capacity) {
        Oid *types = (Oid *)dbm_adapter_resize(q->owner, s->types, (size_t)columns * sizeof *types);
        if (types == NULL) return false;
        s->types = types;
        s->types_capacity = columns;
    }
    *binary = true;
    for (i = 0; i < columns; i++) {
        s->types[i] = PQftype(s->res, i);
        *binary = *binary && dbm__pg_in_binary(s->types[i]);
    }
    return true;
}

static void dbm__pg_row_width(dbm__pg_statement *s) {
    int i, row, columns = PQnfields(s->res);
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
    if (how == DBM__PG_ALL && q->error != NULL) {
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
    if (s->res == NULL) { /* it has no rows */
        if (q->named_run) s->known = s->rowless = s->kept;
        if (s->inserts) op->last_id = op->affected == 0 ? 0 : DBM_LAST_ID_UNKNOWN;
        return;
    }
    op->result = s;
    op->columns = PQnfields(s->res);
    op->row = s->rows > 0;
    if (!(s->known && q->named_run && s->types_capacity >= op->columns)) {
        /* Types are known for sure while the cursor lives: the batches that follow come in binary. */
        if (!dbm__pg_look_at_types(q, s, op->columns, q->named_run ? &s->binary : &s->next_binary)) {
            q->outcome = dbm__pg_no_memory(q);
            return;
        }
        s->known = q->named_run && s->kept;
    }
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
    if (q->error != NULL) {
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
        s->rows = s->row = 0;
        if (op->prepared != NULL && op->prepared->writes) op->affected = q->affected;
        q->outcome = DBM_DONE;
        return true;
    }
    dbm__pg_batch_done(q, s);
    q->outcome = s->rows > 0 ? DBM_OK : DBM_DONE;
    return true;
}

static bool dbm__pg_commit_end(dbm__pg *q) {
    dbm_op *op = q->op;
    if (q->error != NULL) {
        if (op->kind == DBM_OP_ROLLBACK && !q->retried && strcmp(dbm__pg_state_of(q->error), "57014") == 0) { /* a cancel that came late */
            q->retried = true;
            PQclear(q->error);
            q->error = NULL;
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
    if (q->state == DBM__PG_NATIVE_USE && PQstatus(q->conn) != CONNECTION_BAD && !dbm__pg_return_from_native(q)) q->outcome = dbm__pg_lost(q);
    return true;
}

static bool dbm__pg_bulk_end(dbm__pg *q, int how) {
    dbm_op *op = q->op;
    if (how == DBM__PG_ROW) return true; /* the server takes rows */
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
    if (q->error != NULL) PQclear(q->error);
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
        if (q->error != NULL) q->outcome = dbm__pg_refused(q);
        return true;
    case DBM_OP_FINISH:
        q->main->live = false;
        q->main->total += q->dropped;
        if (q->error != NULL && PQstatus(q->conn) == CONNECTION_BAD) dbm_adapter_broken(q->c);
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
    if (DBM__UNLIKELY(q->copy != NULL) && (op->kind == DBM_OP_BULK_END || (op->kind == DBM_OP_BULK && q->outcome != DBM_OK))) {
        dbm__pg_copy_free(q->copy);
        q->copy = NULL;
        q->copying = false;
        op->bulk->data = NULL;
    }
    return DBM_STEP_DONE;
}

static uint32_t dbm__pg_get32(const char *data) {
    const unsigned char *p = (const unsigned char *)data;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static int64_t dbm__pg_get64(const char *data) { return (int64_t)((uint64_t)dbm__pg_get32(data) << 32 | dbm__pg_get32(data + 4)); }

/* Whether all that is awaited has arrived and is little: a look at it, not a read. libpq must know before it reads the first row whether rows
 * come singly, which costs a result each, or together, which costs memory for all. The last thing that the server says is
 * ReadyForQuery. Under TLS nothing can be seen. */
#if DBM__PG_POSIX
static bool dbm__pg_all_here(dbm__pg *q) {
    static const char ready[5] = { 'Z', 0, 0, 0, 5 };
    ssize_t n, at = 0;
    int i, syncs = 0;
    for (i = q->sent.head; i < q->sent.count; i++) syncs += q->sent.at[i].kind == DBM__PG_SYNC;
    n = recv(PQsocket(q->conn), q->look, sizeof q->look, MSG_PEEK | MSG_DONTWAIT);
    if (n < 6 || n == (ssize_t)sizeof q->look || memcmp(q->look + n - 6, ready, sizeof ready) != 0) return false;
    if (syncs <= 1) return true;
    while (n - at >= 6) { /* of another one, maybe: message by message */
        uint32_t size = dbm__pg_get32(q->look + at + 1);
        syncs -= q->look[at] == 'Z';
        if (size >= sizeof q->look) return false;
        at += 1 + (ssize_t)size;
    }
    return at == n && syncs == 0;
}
#else
static bool dbm__pg_all_here(dbm__pg *q) { (void)q; return false; }
#endif

/* Whether the server has said something that ends a COPY. libpq reads nothing but notices before the program has told the end of it, so the first byte
 * that has come is looked at; where that can't be, or was something else, an error is heard of at the end. */
static bool dbm__pg_copy_answered(dbm__pg *q) {
    if (dbm__net_peek(PQsocket(q->conn)) == DBM_OK) return false;
#if DBM__PG_POSIX
    if (!q->copy_blind && !q->tls && recv(PQsocket(q->conn), q->look, 1, MSG_PEEK | MSG_DONTWAIT) == 1 && q->look[0] == 'E') return true;
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

/* What runs by itself goes on as part of the list: it failed, or its rows come singly. */
static bool dbm__pg_solo_over(dbm__pg *q) {
    q->solo = false;
    if (dbm__pg_add(q, &q->sent, DBM__PG_RUN, 0) == NULL || dbm__pg_add(q, &q->sent, DBM__PG_SYNC, 0) == NULL) {
        dbm_adapter_broken(q->c);
        dbm__pg_end_local(q, dbm__pg_no_memory(q));
        return false;
    }
    q->emitted = q->sent.count;
    return true;
}

/* True: it is done. False: dbm__pg_step() goes on. */
static bool dbm__pg_solo_step(dbm__pg *q) {
    dbm__pg_statement *s = q->main;
    PGresult *res = NULL, *more = NULL;
    ExecStatusType status;
    q->whole = s->rowless || dbm__pg_all_here(q);
    if (!q->whole || PQconsumeInput(q->conn) != 1 || PQisBusy(q->conn)) {
        dbm__pg_solo_over(q);
        return false;
    }
    res = PQgetResult(q->conn);
    status = PQresultStatus(res);
    if (DBM__UNLIKELY(status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) || PQisBusy(q->conn) || (more = PQgetResult(q->conn)) != NULL) {
        q->armed = true;
        if (!dbm__pg_solo_over(q)) {
            PQclear(res);
            PQclear(more);
            return false;
        }
        if (res != NULL) (void)dbm__pg_answer(q, &q->sent.at[0], res);
        if (more != NULL) (void)dbm__pg_answer(q, &q->sent.at[0], more); /* it failed at its commit */
        return false;
    }
    q->solo = false;
    dbm__pg_look_at_transaction(q);
    if (status == PGRES_TUPLES_OK) {
        dbm__pg_row_moves(s);
        dbm__pg_res(s, res);
        s->rows = PQntuples(res);
        s->total = s->rows;
        s->binary_rows = s->binary;
        if (q->op->prepared->writes) q->affected = dbm__pg_count(res);
    } else {
        q->affected = dbm__pg_ran(q, res);
        PQclear(res);
    }
    dbm__pg_room_end(q);
    q->op->affected = q->affected;
    dbm__pg_execute_done(q, s, DBM__PG_ALL);
    return true;
}

static dbm_step dbm__pg_connect_step(dbm_connection *c, dbm_op *op);

static dbm_step dbm__pg_step(dbm_connection *c, dbm_op *op) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    int how, unsent;
    dbm_step step;
    bool stirred = false; /* under TLS, where a part of a record may lie in libpq, unseen by poll: look again soon after something has come */
    if (op->kind == DBM_OP_CONNECT) return op->state != NULL ? DBM_STEP_DONE : dbm__pg_connect_step(c, op);
    if (DBM__UNLIKELY(op->kind == DBM_OP_NOTIFIED)) return dbm__pg_notified(q, op);
    if (q->local) return dbm__pg_done(q);
    if (DBM__UNLIKELY(q->copying) && dbm__pg_copy_step(q, &step)) return step;
    if (q->solo) {
        if (!q->fresh && dbm__pg_solo_step(q)) return dbm__pg_done(q);
        if (q->local) return dbm__pg_done(q);
        if (q->solo) goto wait;
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
    if (!q->fresh && op->kind == DBM_OP_EXECUTE && !q->cursor_run && !q->armed && !q->tls && !q->whole) q->whole = dbm__pg_all_here(q);
    if (!q->fresh && PQconsumeInput(q->conn) != 1) {
        how = dbm__pg_answers(q); /* what had come before it died */
        if (how != DBM__PG_ROW && !(how == DBM__PG_ALL && q->error == NULL && q->state == DBM__PG_READY)) how = DBM__PG_DEAD;
    } else {
        how = dbm__pg_answers(q);
    }
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
    if (op->kind == DBM_OP_FINISH && q->tx == DBM__PG_TX_NONE && q->dropped > 1000 && !q->cancel_sent) {
        q->cancel_sent = true; /* nothing of a read that stands alone is lost by it */
        dbm__pg_cancel(c);
    }
wait:
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
        int n = PQnfields(s->res);
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
    if (DBM__UNLIKELY(s->copied != NULL)) {
        data = s->copied;
        size = (size_t)s->copied_size;
    } else if (DBM__UNLIKELY(s->now != NULL)) {
        if (s->now->cells[i].size < 0) return DBM_OK;
        data = s->now->cells[i].data;
        size = (size_t)s->now->cells[i].size;
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
    (void)c;
    return PQfname(((dbm__pg_statement *)op->result)->res, i);
}

/* The first column of RETURNING, when it is a number. */
static int64_t dbm__pg_key(dbm__pg *q, dbm__pg_statement *s) {
    dbm_op look;
    dbm_value v;
    if (s->rows == 0) return 0;
    memset(&look, 0, sizeof look);
    look.result = s;
    if (PQnfields(s->res) == 0 || dbm__pg_column(q->c, &look, 0, &v) != DBM_OK || v.type != DBM_TYPE_INT) return DBM_LAST_ID_UNKNOWN;
    return v.as.integer;
}

/* ---- connections ---------------------------------------------------------------------------------------------------- */

static void dbm__pg_notice(void *ud, const PGresult *res) {
    dbm__pg *q = (dbm__pg *)ud;
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY), *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(res, PG_DIAG_MESSAGE_DETAIL);
    char block[900];
    dbm__text t = dbm__text_in(block, sizeof block);
    if (severity != NULL) dbm__putf(&t, "%s: ", severity);
    dbm__pg_words(&t, primary != NULL ? primary : PQresultErrorMessage(res));
    if (detail != NULL) {
        dbm__put(&t, ": ");
        dbm__pg_words(&t, detail);
    }
    dbm__text_end(&t);
    dbm_adapter_notice(q->c, block);
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
    if (q->error != NULL) PQclear(q->error);
    if (q->told != NULL) PQfreemem(q->told);
    dbm_adapter_free(db, q->listen);
    dbm__pg_copy_free(q->copy);
    if (q->sent_error != NULL) PQclear(q->sent_error);
    if (q->conn != NULL) PQfinish(q->conn);
    dbm_adapter_free(db, q->sent.at);
    dbm_adapter_free(db, q->wait.at);
    dbm_adapter_free(db, q->closes.at);
    dbm_adapter_free(db, q->drops.at);
    dbm_adapter_free(db, q->block);
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
    q->state = DBM__PG_READY;
    q->sent_affected = q->sent_last_id = -1;
    q->tls = PQsslInUse(q->conn) != 0;
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

/* ---- cancel ---------------------------------------------------------------------------------------------------------- */

#if DBM__PG_CANCEL_KEY
/* A CancelRequest on a connection of its own, without waiting for a server that is silent: the end of that connection says that the request
 * has been done, so that it can't meet a later statement. Source: "Canceling Requests in Progress" of PostgreSQL's protocol. */
static void dbm__pg_cancel_by_key(dbm__pg *q) {
    int64_t until = dbm_adapter_clock(q->owner) + DBM__PG_CANCEL_US;
    uint32_t words[4];
    unsigned char packet[16];
    int fd = socket(((struct sockaddr *)(void *)&q->peer)->sa_family, SOCK_STREAM, 0), flags, i;
    ssize_t n;
    char byte;
    if (fd < 0) return;
    words[0] = 16;
    words[1] = 1234u << 16 | 5678u;
    words[2] = (uint32_t)q->pid;
    words[3] = (uint32_t)q->key;
    for (i = 0; i < 16; i++) packet[i] = (unsigned char)(words[i / 4] >> (24 - 8 * (i % 4)));
    flags = fcntl(fd, F_GETFL, 0);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
#if defined(SO_NOSIGPIPE)
    i = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &i, (socklen_t)sizeof i);
#endif
#if !defined(MSG_NOSIGNAL)
#  define DBM__PG_NO_SIGNAL 0
#else
#  define DBM__PG_NO_SIGNAL MSG_NOSIGNAL
#endif
    if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) {
        int rc = connect(fd, (struct sockaddr *)(void *)&q->peer, q->peer_size);
        while (rc != 0 && errno == EAGAIN && dbm_adapter_clock(q->owner) < until) { /* a socket file's queue is full */
            dbm__sleep_us(2000);
            rc = connect(fd, (struct sockaddr *)(void *)&q->peer, q->peer_size);
        }
        if ((rc == 0 || errno == EINPROGRESS) && dbm__net_wait(q->owner->host, fd, DBM_STEP_WRITE, until) == DBM_OK &&
            send(fd, packet, sizeof packet, DBM__PG_NO_SIGNAL) == (ssize_t)sizeof packet) {
            do n = dbm__net_wait(q->owner->host, fd, DBM_STEP_READ, until) == DBM_OK ? recv(fd, &byte, 1, 0) : 0;
            while (n > 0);
        }
    }
    (void)close(fd);
}
#endif

static void dbm__pg_cancel(dbm_connection *c) {
    dbm__pg *q = (dbm__pg *)dbm_adapter_data(c);
    if (q == NULL) return;
    dbm__store(&q->cancelled, 1);
#if DBM__PG_CANCEL_ASYNC
    {
        PGcancelConn *request = PQcancelCreate(q->conn);
        int64_t until = dbm_adapter_clock(q->owner) + DBM__PG_CANCEL_US;
        PostgresPollingStatusType next = PGRES_POLLING_WRITING;
        if (request != NULL && PQcancelStart(request) == 1) {
            while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
                int want = next == PGRES_POLLING_READING ? DBM_STEP_READ : DBM_STEP_WRITE;
                if (dbm__net_wait(q->owner->host, PQcancelSocket(request), want, until) != DBM_OK) break;
                next = PQcancelPoll(request);
            }
        }
        PQcancelFinish(request);
    }
#else
#  if DBM__PG_CANCEL_KEY
    if (q->has_key) {
        dbm__pg_cancel_by_key(q);
        return;
    }
#  endif
    {
        PGcancel *request = PQgetCancel(q->conn);
        char said[256];
        if (request != NULL) (void)PQcancel(request, said, (int)sizeof said);
        PQfreeCancel(request);
    }
#endif
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
    DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS | DBM_ADAPTER_SOCKET | DBM_ADAPTER_ONE_RESULT | DBM_ADAPTER_LISTEN | (DBM__PG_PIPELINE ? DBM_ADAPTER_PIPELINE : 0),
    DBM_PH_DOLLAR, DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING,
    dbm__pg_init, dbm__pg_close,
    NULL, dbm__pg_disconnect, dbm__pg_alive, NULL, NULL, dbm__pg_cancel,
    NULL,
    dbm__pg_finish, dbm__pg_fetch, dbm__pg_column, dbm__pg_column_name,
    dbm__pg_start, dbm__pg_step,
    dbm__pg_bulk_row, dbm__pg_bulk_columns
};

DBM__FN const dbm_adapter *dbm__adapter_postgresql(void) { return &dbm__postgresql_adapter; }

#endif /* DBM_HAS_POSTGRESQL */
