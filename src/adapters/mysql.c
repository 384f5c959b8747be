/* MySQL and MariaDB, through MariaDB Connector/C 3.1 or newer, or Oracle's libmysqlclient 8.0.16 or newer.
 * May call: api/, base/, net/, config/ (values of options), sql/ (texts of timestamps and numbers), and the client library.
 * Must not know: pools, sessions, other adapters. */
#include "adapters.h"
#include "../adapter/adapter.h"
#include "../net/net.h"
#include "../config/config.h"
#include "../sql/sql.h"
#include "../sql/lexer.h"
#if DBM_HAS_MYSQL
#if defined(__has_include)
#  if __has_include(<mysql.h>)
#    define DBM__MYSQL_HEADER <mysql.h>
#    define DBM__MYSQL_IO <ma_pvio.h>
#  elif __has_include(<mariadb/mysql.h>)
#    define DBM__MYSQL_HEADER <mariadb/mysql.h>
#    define DBM__MYSQL_IO <mariadb/ma_pvio.h>
#  elif __has_include(<mysql/mysql.h>)
#    define DBM__MYSQL_HEADER <mysql/mysql.h>
#    define DBM__MYSQL_IO <mysql/ma_pvio.h>
#  endif
#else
#  define DBM__MYSQL_HEADER <mysql.h>
#endif
#if !defined(DBM__MYSQL_HEADER)
#  error "dbm: DBM_WITH_MYSQL needs mysql.h: install libmariadb-dev or default-libmysqlclient-dev (Debian), mariadb-connector-c-dev (Alpine), mariadb-connector-c or mysql-client (macOS), or put its directory on the include path (mariadb_config --cflags, mysql_config --cflags)"
#else
#include DBM__MYSQL_HEADER

/* Which client library it is. MariaDB's has every call in a form that does not block (_start, _cont); Oracle's has that for texts alone, which won't do (manual.h
 * says why), so that its calls block: the server keeps a deadline, a silent one is noticed by the library's time-out, a loop has workers. The flows below are the same. */
#if defined(MARIADB_PACKAGE_VERSION) || defined(MARIADB_BASE_VERSION)
#  define DBM__MYSQL_MARIADB 1
/* Where the library keeps what it has read, and how it reads, is part of what its plug-ins are built against: it is looked at, to see whether a call can be
 * done without waiting. */
#  if defined(DBM__MYSQL_IO) && MARIADB_PACKAGE_VERSION_ID >= 30110 && !defined(DBM__MYSQL_AHEAD)
#    if __has_include(DBM__MYSQL_IO)
#      include DBM__MYSQL_IO
#      define DBM__MYSQL_AHEAD 1
#    endif
#  endif
typedef my_bool dbm__mysql_bool;
#else
#  define DBM__MYSQL_MARIADB 0
#  if MYSQL_VERSION_ID < 80016
#    error "dbm: DBM_WITH_MYSQL needs libmysqlclient 8.0.16 or newer, or MariaDB Connector/C 3.1 or newer: install libmariadb-dev"
#  endif
typedef bool dbm__mysql_bool;
#endif
#if !defined(DBM__MYSQL_AHEAD)
#  define DBM__MYSQL_AHEAD 0
#endif
#if defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__MYSQL_POSIX 1
#  include <errno.h>
#  include <fcntl.h>
#  include <signal.h>
#  include <sys/types.h>
#  include <sys/time.h>
#  include <sys/socket.h>
#  include <netinet/in.h>
#  include <netinet/tcp.h>
#  include <unistd.h>
#else
#  define DBM__MYSQL_POSIX 0
#endif

/* Numbers of errors that are looked at here; the libraries' headers do not all name them. */
enum {
    DBM__MYSQL_UNKNOWN_DATABASE = 1049, DBM__MYSQL_TOO_BIG = 1153, DBM__MYSQL_LOCK_TIMEOUT = 1205, DBM__MYSQL_DEADLOCK = 1213,
    DBM__MYSQL_NOT_PREPARABLE = 1295, DBM__MYSQL_NO_SAVEPOINT = 1305, DBM__MYSQL_INTERRUPTED = 1317, DBM__MYSQL_NEED_REPREPARE = 1615,
    DBM__MYSQL_NOWAIT = 3572, DBM__MYSQL_CLIENT_FIRST = 2000, DBM__MYSQL_OUT_OF_MEMORY = 2008, DBM__MYSQL_GONE = 2006, DBM__MYSQL_LOST = 2013,
    DBM__MYSQL_CLIENT_TOO_BIG = 2020, DBM__MYSQL_TLS_FAILED = 2026, DBM__MYSQL_NEW_METADATA = 2057
};
enum { DBM__MYSQL_BINARY = 63 };          /* the character set of bytes */
#define DBM__MYSQL_OPTIONS "sql_mode,unix_socket"
#define DBM__MYSQL_LEXER (DBM_LEX_BACKSLASH | DBM_LEX_HASH | DBM_LEX_BACKTICKS | DBM_LEX_DASH_SPACE)
#define DBM__MYSQL_KILL_US 450000         /* a cancel takes no longer */
#define DBM__MYSQL_CELL_KEPT 1048576u     /* room for one column that a statement keeps between its runs */
#define DBM__MYSQL_LARGE 65536u           /* from here on a statement is compared with max_allowed_packet before it is sent */
#define DBM__MYSQL_LEAVE_ROWS 20000       /* without a transaction: rows that are read past before the server is told to stop */

/* ---- what it keeps ------------------------------------------------------------------------------------------------------------ */

typedef struct dbm__mysql_host { char *name; unsigned port; } dbm__mysql_host; /* name: NULL for the local socket */

/* Of a database, from init to close. The texts lie behind it in the same block, or belong to the configuration. */
typedef struct dbm__mysql_base {
    dbm__mysql_host *hosts;
    int host_count;
    const char *schema, *socket, *sql_mode; /* sql_mode NULL: the server's */
    dbm_tls tls;
    bool autocommit;                        /* a connection begins with it on */
} dbm__mysql_base;

/* How a column is read: the type that its value has or begins as, and that in which the library is to give it. The first ones are handed out as they lie,
 * the last ones are texts. */
enum {
    DBM__MYSQL_INT, DBM__MYSQL_DOUBLE, DBM__MYSQL_UINT, DBM__MYSQL_TINY, DBM__MYSQL_FLOAT, DBM__MYSQL_BIT, DBM__MYSQL_DATETIME, DBM__MYSQL_DATE,
    DBM__MYSQL_TIME_OF_DAY, DBM__MYSQL_TEXT, DBM__MYSQL_BLOB, DBM__MYSQL_DECIMAL_TEXT, DBM__MYSQL_JSON_TEXT, DBM__MYSQL_UUID_TEXT
};
static const struct { dbm_type type; enum enum_field_types given; } dbm__mysql_kinds[] = {
    { DBM_TYPE_INT, MYSQL_TYPE_LONGLONG }, { DBM_TYPE_DOUBLE, MYSQL_TYPE_DOUBLE }, { DBM_TYPE_INT, MYSQL_TYPE_LONGLONG }, { DBM_TYPE_INT, MYSQL_TYPE_LONGLONG },
    { DBM_TYPE_DOUBLE, MYSQL_TYPE_FLOAT }, { DBM_TYPE_UINT, MYSQL_TYPE_BLOB }, { DBM_TYPE_TEXT, MYSQL_TYPE_DATETIME }, { DBM_TYPE_TEXT, MYSQL_TYPE_DATE },
    { DBM_TYPE_TEXT, MYSQL_TYPE_TIME }, { DBM_TYPE_TEXT, MYSQL_TYPE_STRING }, { DBM_TYPE_BLOB, MYSQL_TYPE_BLOB }, { DBM_TYPE_DECIMAL, MYSQL_TYPE_STRING },
    { DBM_TYPE_JSON, MYSQL_TYPE_STRING }, { DBM_TYPE_UUID, MYSQL_TYPE_STRING }
};

/* Where the library puts a value of the row in hand. */
typedef struct dbm__mysql_cell {
    dbm_value value;         /* as it is handed out, where that takes no more than a copy: numbers are put here, and of a text the rest stays as it is */
    char *text;
    unsigned long capacity, size;
    int how;
    signed char wire;        /* of a row as it is sent: the bytes of a number, 0: a text, -1: something else */
    bool is_signed;
    dbm__mysql_bool null, cut;
    union { float single; MYSQL_TIME time; } as;
    char written[40];        /* a date or a time as text; bits */
} dbm__mysql_cell;

/* Rows that were put aside: a list. A row is its head, then its values, then their texts. */
typedef struct dbm__mysql_row { struct dbm__mysql_row *next; } dbm__mysql_row;

/* Of a statement: what prepared->data and, while its rows are read, op->result point to. */
typedef struct dbm__mysql_statement {
    struct dbm__mysql_statement *next;  /* in the list of those to be closed */
    MYSQL_STMT *stmt;        /* NULL: it goes as text each time */
    MYSQL_RES *text_rows;    /* of a text: all of its rows */
    MYSQL_ROW text_row;
    unsigned long *text_sizes;
    unsigned generation;     /* of the connection, when it was prepared */
    bool inserts, changes, reads, calls; /* by its first word: INSERT or REPLACE; those, UPDATE or DELETE; SELECT and its like; CALL */
    MYSQL_BIND *values;      /* parameters */
    MYSQL_TIME *times;       /* of the values that are timestamps */
    bool bound;              /* the library knows of the types in `values` */
    /* Of the result. */
    int columns;
    dbm__mysql_cell *cells;  /* of the row in hand and, behind them, of the rows that are put aside: two sets. In one block with */
    MYSQL_BIND *binds;
    MYSQL_FIELD *plan;       /* as the server described them, to see whether it says so again; without the texts */
    int side;                /* the set that the library fills */
    dbm__mysql_cell *hand_cells; /* the set of the row in hand */
    bool rebind;             /* where values go has changed */
    bool roomy[2];           /* each text of that set of cells has a place */
    bool large;              /* one of them has grown beyond what is kept */
    bool simple;             /* its columns are numbers and texts, as the library is known to lay them out */
    bool open;               /* rows may still come from the server */
    bool ended;
    bool held;               /* the rest of the rows is in `first` */
    bool spoiled;            /* they did not all fit */
    int64_t seen;
    dbm__mysql_row *row;     /* the row in hand, when it is one of those put aside */
    dbm__mysql_row *first, **last;
    dbm__aside aside;
} dbm__mysql_statement;

/* Whether an operation runs that may be cancelled. A cancel turns ACTIVE into KILLING and back when the server has answered it; until then the
 * operation does not end, so that none is left over for the next one. */
enum { DBM__MYSQL_IDLE = 0, DBM__MYSQL_ACTIVE, DBM__MYSQL_KILLING };

/* The calls of the library that talk to the server. */
enum {
    DBM__MYSQL_DONE = 0, DBM__MYSQL_CONNECT, DBM__MYSQL_QUERY, DBM__MYSQL_STORE, DBM__MYSQL_NEXT, DBM__MYSQL_PREPARE, DBM__MYSQL_EXECUTE,
    DBM__MYSQL_FETCH, DBM__MYSQL_FLUSH, DBM__MYSQL_STMT_NEXT, DBM__MYSQL_STMT_CLOSE, DBM__MYSQL_PING, DBM__MYSQL_RESET_ALL,
    DBM__MYSQL_WAITING /* what a flow answers while the call that it made waits */
};

/* A failure that is kept while something else is asked of the server. */
typedef struct dbm__mysql_error { int native; char sqlstate[6]; char text[512]; } dbm__mysql_error;

/* KILL QUERY over a connection of its own. It is that of whoever has turned the state to KILLING. */
typedef struct dbm__mysql_killer {
    MYSQL *my, *made;
    int rc, wait;            /* wait: as below */
    bool asked, late;
    int64_t until_us;
    char text[48];
} dbm__mysql_killer;

/* Of a connection. */
typedef struct dbm__mysql {
    MYSQL *my;
    dbm_connection *c;
    dbm_database *owner;
    dbm__mysql_base *base;
    dbm__word state;         /* DBM__MYSQL_IDLE ... */
    unsigned long id;        /* the server's, for KILL QUERY */
    int host;                /* which of the list */
    char *user, *password;   /* of this connect, behind it: a cancel needs them from any thread */
    bool mariadb;            /* the server is */
    bool tls;
    bool broken;             /* no byte is sent any more */
    bool connecting;
    bool may_wait, waits;    /* as of the operation; the next read waits for its bytes */
    bool known;              /* the library is the version that its headers are of */
#if DBM__MYSQL_AHEAD
    PVIO_METHODS io;         /* the library's, but for async_read, */
    ssize_t (*read)(MARIADB_PVIO *, unsigned char *, size_t); /* which is this */
#endif
    /* The call in progress. */
    int call, wait;          /* wait: what the library waits for; 0: nothing */
    int phase, sub, pre;     /* where the flows stand */
    int rc;
    dbm__mysql_bool flag;
    MYSQL *made;
    const char *sql;
    size_t sql_size;
    MYSQL_STMT *stmt;
    MYSQL_RES *rows, *first;
    int64_t number;          /* that was asked for; of results that have come */
    uint64_t affected, made_id; /* of the first of them */
    size_t total;            /* bytes of the statement and its values */
    int64_t limit_us;        /* of the attempt to connect */
    int64_t leave_at;        /* the row at which a result that is left is stopped */
    /* The transaction. */
    bool unit;               /* between BEGIN and COMMIT or ROLLBACK */
    bool autocommit;         /* as the server has it */
    bool open;               /* the last reply said: in a transaction */
    bool failed;             /* an error, or something of the user's own: what the server holds is not known */
    bool wrote;              /* in this unit */
    bool undone;             /* the server has rolled back all of it */
    bool was_open;
    bool again;              /* this statement was prepared anew already */
    bool refused;            /* the flow has reported its failure; status has it */
    dbm_status status;
    dbm_isolation isolation; /* of the server's session */
#if !DBM__MYSQL_MARIADB
    int64_t limit_ms;        /* what the server was told a statement may take; 0: nothing */
    unsigned silence_s;      /* the library's time-out; 0: none */
#endif
    uint64_t packet;         /* max_allowed_packet; 0: not asked yet */
    unsigned generation;     /* one more with each reset */
    dbm__mysql_statement *active; /* the one whose rows are on their way */
    dbm__mysql_statement *closing;
    dbm__aside_chunk *spare;
    struct dbm__mysql_bulk *bulk; /* the one that is open */
    dbm__mysql_killer killer;
    bool kills;              /* it is the operation's own: steps go on with it first */
    dbm__word killed_from;   /* and the state turns back to this */
    dbm__mysql_error error;
    char text[640];          /* statements of our own */
} dbm__mysql;

/* ---- failures ----------------------------------------------------------------------------------------------------------------- */

#define DBM__MYSQL_SAY(q, ...) ((q)->refused = true, (q)->status = dbm__adapter_say((q)->c, __VA_ARGS__)) /* as that; the flow ends */

static dbm_status dbm__mysql_no_memory(dbm__mysql *q) { return DBM__MYSQL_SAY(q, DBM_E_NOMEM, "HY001", 0, "%s", dbm_status_text(DBM_E_NOMEM)); }

/* Which of our statuses an error is; DBM_OK: what its SQLSTATE says. */
static dbm_status dbm__mysql_status(int native) {
    switch (native) {
    case 1044: case 1045: case 1130: case 1251: case 1396: case 1524: case 1698: case 1820: case 1862: case 2059: case 2061: case 3118: case 4151:
        return DBM_E_AUTH;
    case 1040: case 1129: case 1203: case 1226: case 2001: case 2002: case 2003: case 2004: case 2005: case 2007: case 2009: case 2010: case 2012:
        return DBM_E_CONNECT;
    case DBM__MYSQL_UNKNOWN_DATABASE: return DBM_E_UNKNOWN_NAME;
    case 1053: case 1077: case 1079: case 1080: case 1158: case 1159: case 1160: case 1161: case 1184: case 1927: case DBM__MYSQL_GONE:
    case DBM__MYSQL_LOST: case 2055: case 4031:
        return DBM_E_LOST;
    case DBM__MYSQL_TLS_FAILED: case 3159: return DBM_E_TLS;
    case 1037: case 1038: case 1041: case DBM__MYSQL_OUT_OF_MEMORY: case 5: return DBM_E_NOMEM;
    case DBM__MYSQL_DEADLOCK: case 1614: case 1637: return DBM_E_DEADLOCK;
    case 1020: return DBM_E_SERIALIZATION; /* the record has changed since it was read (snapshot isolation) */
    case DBM__MYSQL_LOCK_TIMEOUT: case DBM__MYSQL_NOWAIT: case 1969: case 3024: case 1907: return DBM_E_TIMEOUT;
    case DBM__MYSQL_INTERRUPTED: return DBM_E_CANCELLED;
    case 1290: case 1792: case 1836: return DBM_E_READ_ONLY;
    case 1022: case 1048: case 1062: case 1169: case 1216: case 1217: case 1364: case 1451: case 1452: case 1557: case 1586: case 1761:
    case 1762: case 1859: case 3819: case 4025:
        return DBM_E_CONSTRAINT;
    case 1264: case 1365: case 1416: case 1690: case 1406: return DBM_E_RANGE;
    case DBM__MYSQL_TOO_BIG: case DBM__MYSQL_CLIENT_TOO_BIG: case 1162: case 1301: case 1390: case 1461: case 1021: case 1114: return DBM_E_LIMIT;
    default: return DBM_OK;
    }
}

static bool dbm__mysql_retryable(int native) {
    dbm_status status = dbm__mysql_status(native);
    return native == DBM__MYSQL_LOCK_TIMEOUT || native == DBM__MYSQL_NOWAIT || (status == DBM_E_CONNECT && native != 2007) || status == DBM_E_LOST ||
           status == DBM_E_DEADLOCK || status == DBM_E_SERIALIZATION;
}

static dbm_status dbm__mysql_classify(dbm_connection *c, const char *sqlstate, int native, bool *retryable) {
    (void)c;
    (void)sqlstate;
    *retryable = dbm__mysql_retryable(native);
    return dbm__mysql_status(native);
}

/* What stands between two marks, at the last place where `before` is: the value of a duplicate key may itself look like a message. */
static void dbm__mysql_part(const char *text, const char *before, char end, char *block, size_t capacity) {
    const char *at = NULL, *p = text, *stop;
    size_t size;
    block[0] = '\0';
    while ((p = strstr(p, before)) != NULL) at = p++;
    if (at == NULL) return;
    at += strlen(before);
    stop = strrchr(at, end);
    if (end != '\'' || stop == NULL) stop = strchr(at, end);
    size = stop != NULL ? (size_t)(stop - at) : strlen(at);
    if (size >= capacity) size = capacity - 1;
    memcpy(block, at, size);
    block[size] = '\0';
}

static void dbm__mysql_constraint(dbm__mysql *q, int native, const char *said) {
    dbm_constraint kind = DBM_CONSTRAINT_OTHER;
    const char *before = "";
    char name[128], *quote;
    size_t size;
    switch (native) {
    case 1022: case 1062: case 1169: case 1557: case 1586: case 1761: case 1762: case 1859: kind = DBM_CONSTRAINT_UNIQUE, before = "for key '"; break;
    case 1048: kind = DBM_CONSTRAINT_NOT_NULL, before = "Column '"; break;
    case 1364: kind = DBM_CONSTRAINT_NOT_NULL, before = "Field '"; break;
    case 1216: case 1217: case 1451: case 1452: kind = DBM_CONSTRAINT_FOREIGN_KEY, before = "CONSTRAINT `"; break;
    case 3819: kind = DBM_CONSTRAINT_CHECK, before = "constraint '"; break;
    case 4025: kind = DBM_CONSTRAINT_CHECK, before = "CONSTRAINT `"; break;
    default: break;
    }
    name[0] = '\0';
    if (before[0] != '\0') dbm__mysql_part(said, before, before[strlen(before) - 1], name, sizeof name);
    if (native == 1364 && (quote = strchr(name, '\'')) != NULL) *quote = '\0'; /* of "doesn't" */
    size = strlen(name);
    if (kind == DBM_CONSTRAINT_UNIQUE && size >= 7 && strcmp(name + size - 7, "PRIMARY") == 0 && (size == 7 || name[size - 8] == '.')) {
        kind = DBM_CONSTRAINT_PRIMARY_KEY;
    }
    dbm_adapter_fail_constraint(q->c, kind, name);
}

/* The failure of the last call, kept: a statement's, or else the connection's. */
static void dbm__mysql_note_error(dbm__mysql *q, MYSQL_STMT *stmt) {
    dbm__mysql_error *e = &q->error;
    bool of_stmt = stmt != NULL && mysql_stmt_errno(stmt) != 0;
    e->native = (int)(of_stmt ? mysql_stmt_errno(stmt) : mysql_errno(q->my));
    dbm__copy_cut(e->sqlstate, sizeof e->sqlstate, of_stmt ? mysql_stmt_sqlstate(stmt) : mysql_sqlstate(q->my));
    dbm__copy_cut(e->text, sizeof e->text, of_stmt ? mysql_stmt_error(stmt) : mysql_error(q->my));
    if (e->native == 0) {
        e->native = DBM__MYSQL_LOST;
        dbm__copy_cut(e->sqlstate, sizeof e->sqlstate, "HY000");
        dbm__copy_cut(e->text, sizeof e->text, "the client library failed without saying why");
    }
    q->failed = true;
}

/* Reports the failure that was kept. */
static DBM__NOINLINE dbm_status dbm__mysql_report(dbm__mysql *q) {
    const dbm__mysql_error *e = &q->error;
    bool retryable = dbm__mysql_retryable(e->native);
    dbm_status status = dbm__mysql_status(e->native);
    const char *state = strcmp(e->sqlstate, "00000") == 0 ? "HY000" : e->sqlstate, *before = "", *text = e->text, *more = "";
    if (e->native == DBM__MYSQL_DEADLOCK) q->undone = q->unit;
    if (e->native >= DBM__MYSQL_CLIENT_FIRST && e->native < 3000 && !q->connecting && (status == DBM_E_CONNECT || status == DBM_E_TLS)) {
        status = DBM_E_LOST;
        retryable = true;
    }
    if (status == DBM_E_LOST) q->broken = true;
    if (q->connecting && status == DBM_E_LOST) {
        status = DBM_E_CONNECT;
        retryable = true;
    }
    if (status == DBM_OK && q->connecting) status = DBM_E_CONNECT;
    switch (e->native) {
    case DBM__MYSQL_UNKNOWN_DATABASE: state = "3D000"; break; /* as everywhere else; the server says 42000 */
    case DBM__MYSQL_LOCK_TIMEOUT: more = ": another transaction holds the lock for longer than innodb_lock_wait_timeout or lock_wait_timeout"; break;
    case DBM__MYSQL_TOO_BIG: case DBM__MYSQL_CLIENT_TOO_BIG:
        q->broken = true;
        dbm_adapter_broken(q->c);
        return DBM__MYSQL_SAY(q, DBM_E_LIMIT, "08S01", e->native, "%s: the statement with its values, or a row, is larger than max_allowed_packet of "
                              "the server%s; raise it there (SET GLOBAL max_allowed_packet), or send and read less at a time", text,
                              e->native == DBM__MYSQL_CLIENT_TOO_BIG ? " or of connect_args.max_allowed_packet" : "");
    case DBM__MYSQL_INTERRUPTED: state = "57014", more = " (by dbm_cancel, a deadline, or KILL QUERY)"; break;
    case 1969: case 3024: state = "57014", more = ": the server's limit for one statement passed"; break;
    case 1290: /* "running with the ... option" */
        if (strstr(text, "read-only") == NULL && strstr(text, "read_only") == NULL) status = DBM_E_SQL;
        else state = "25006";
        break;
    case 1792: case 1836: state = "25006"; break;
    case 1064:
        if (strncmp(text, "You have an error in your SQL syntax", 36) != 0) break;
        before = "SQL syntax error ";
        text = strstr(text, "near '");
        if (text == NULL) text = "at the end of the statement";
        break;
    default: break;
    }
    if (q->connecting && status == DBM_E_CONNECT && q->base->hosts[q->host].name != NULL) {
        const dbm__mysql_host *host = &q->base->hosts[q->host];
        DBM__MYSQL_SAY(q, status, state, e->native, "%s, port %d: %s", host->name, (int)(host->port != 0 ? host->port : 3306u), text);
    } else {
        DBM__MYSQL_SAY(q, status, state, e->native, "%s%s%s", before, text, more);
    }
    if (status == DBM_E_CONSTRAINT) dbm__mysql_constraint(q, e->native, e->text);
    if (retryable) dbm_adapter_fail_retryable(q->c);
    return q->status;
}

static DBM__NOINLINE void dbm__mysql_fail(dbm__mysql *q, MYSQL_STMT *stmt) {
    dbm__mysql_note_error(q, stmt);
    dbm__mysql_report(q);
}

/* ---- the calls of the library -------------------------------------------------------------------------------------------------- */

static int dbm__mysql_socket(MYSQL *my) {
#if DBM__MYSQL_MARIADB
    return (int)mysql_get_socket(my);
#else
    return my->net.vio != NULL ? (int)my->net.fd : -1;
#endif
}

#if DBM__MYSQL_AHEAD && DBM__MYSQL_POSIX
/* The library's first read after it has sent. The answer is as good as never there yet, so when there is nothing else to do meanwhile it is waited for
 * here: that saves the read that finds out. After a second the call is left as ever. */
static ssize_t dbm__mysql_read(MARIADB_PVIO *io, unsigned char *buffer, size_t size) {
    dbm__mysql *q = (dbm__mysql *)(void *)((char *)io->methods - offsetof(dbm__mysql, io));
    if (q->waits) {
        q->waits = false;
        if (dbm__net_wait(q->owner->host, dbm__mysql_socket(q->my), DBM_STEP_READ, INT64_MAX) == DBM_E_TIMEOUT) {
            errno = EAGAIN;
            return -1;
        }
    }
    return q->read(io, buffer, size);
}
#endif

/* Has the library read by dbm__mysql_read, where it is known. Over TLS it reads by OpenSSL. */
static void dbm__mysql_let_wait(dbm__mysql *q) {
#if DBM__MYSQL_AHEAD
    q->known = mysql_get_client_version() / 100 == MARIADB_PACKAGE_VERSION_ID / 100;
#endif
#if DBM__MYSQL_AHEAD && DBM__MYSQL_POSIX
    if (q->tls || !q->known) return;
    q->io = *q->my->net.pvio->methods;
    q->read = q->io.async_read;
    q->io.async_read = dbm__mysql_read;
    q->my->net.pvio->methods = &q->io;
#else
    (void)q;
#endif
}

/* What stands next in the library's buffer, as a whole: a row, or the end of a result without another one behind it. */
enum { DBM__MYSQL_UNKNOWN, DBM__MYSQL_ROW, DBM__MYSQL_END };
DBM__INLINE int dbm__mysql_ahead(const dbm__mysql *q) {
#if DBM__MYSQL_AHEAD
    const MARIADB_PVIO *io = q->my->net.pvio;
    const unsigned char *p;
    size_t left, size;
    if (io == NULL || io->cache == NULL || q->my->net.compress) return DBM__MYSQL_UNKNOWN;
    p = io->cache_pos;
    left = (size_t)(io->cache + io->cache_size - p);
    if (left < 5 || left > io->cache_size) return DBM__MYSQL_UNKNOWN;
    size = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16;
    if (left - 4 < size) return DBM__MYSQL_UNKNOWN;
    if (p[4] == 0) return DBM__MYSQL_ROW;
    return p[4] == 254 && size == 5 && !(p[7] & SERVER_MORE_RESULTS_EXIST) ? DBM__MYSQL_END : DBM__MYSQL_UNKNOWN;
#else
    (void)q;
    return DBM__MYSQL_UNKNOWN;
#endif
}

#define DBM__MYSQL_FLAGS ((unsigned long)(CLIENT_FOUND_ROWS | CLIENT_MULTI_RESULTS))

/* Each call: its name here and there, where its result goes, whose it is, and its arguments. */
#define DBM__MYSQL_CALLS(X) \
    X(CONNECT, mysql_real_connect, made, q->my, q->my, host->name, q->user, q->password, base->schema, host->port, \
      host->name == NULL ? base->socket : NULL, DBM__MYSQL_FLAGS) \
    X(QUERY, mysql_real_query, rc, q->my, q->my, q->sql, (unsigned long)q->sql_size) \
    X(STORE, mysql_store_result, rows, q->my, q->my) \
    X(NEXT, mysql_next_result, rc, q->my, q->my) \
    X(PREPARE, mysql_stmt_prepare, rc, q->stmt, q->stmt, q->sql, (unsigned long)q->sql_size) \
    X(EXECUTE, mysql_stmt_execute, rc, q->stmt, q->stmt) \
    X(FETCH, mysql_stmt_fetch, rc, q->stmt, q->stmt) \
    X(FLUSH, mysql_stmt_free_result, flag, q->stmt, q->stmt) \
    X(STMT_NEXT, mysql_stmt_next_result, rc, q->stmt, q->stmt) \
    X(STMT_CLOSE, mysql_stmt_close, flag, q->stmt, q->stmt) \
    X(PING, mysql_ping, rc, q->my, q->my) \
    X(RESET_ALL, mysql_reset_connection, rc, q->my, q->my)

#if DBM__MYSQL_MARIADB
#  define DBM__MYSQL_RUN(id, name, out, of, ...) \
    case DBM__MYSQL_##id: wait = ready == 0 ? name##_start(&q->out, __VA_ARGS__) : name##_cont(&q->out, of, ready); break;
#else
#  define DBM__MYSQL_RUN(id, name, out, of, ...) case DBM__MYSQL_##id: q->out = name(__VA_ARGS__); break;
#  define MYSQL_WAIT_READ 1
#  define MYSQL_WAIT_WRITE 2
#  define MYSQL_WAIT_EXCEPT 4
#  define MYSQL_WAIT_TIMEOUT 8
#endif

/* Over TLS the library reads by OpenSSL, which blocks when the socket does. While it shakes hands (left_us > 0) the socket must block (else the library waits
 * for as many milliseconds as it was told seconds): the system then limits each read. From then on it must not. */
static void dbm__mysql_tls_reads(MYSQL *my, int64_t left_us) {
#if DBM__MYSQL_POSIX && DBM__MYSQL_MARIADB
    int fd = dbm__mysql_socket(my), flags;
    struct timeval limit;
    if (fd < 0) return;
    if (left_us <= 0) {
        flags = fcntl(fd, F_GETFL);
        if (flags >= 0 && !(flags & O_NONBLOCK)) (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        return;
    }
    if (left_us > INT64_C(3600000000)) left_us = INT64_C(3600000000);
    memset(&limit, 0, sizeof limit);
    limit.tv_sec = (long)(left_us / 1000000);
    limit.tv_usec = (int)(left_us % 1000000);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit, sizeof limit);
#else
    (void)my;
    (void)left_us;
#endif
}

/* Begins a call (`ready` is 0), or goes on with the one that waited; what it then waits for, or 0 when it is through. Over TLS the library writes by OpenSSL's
 * own means, which raise SIGPIPE when the peer is gone. Oracle's raises it without TLS too: it has the whole process ignore it, which dbm__mysql_library
 * takes back. */
static DBM__NOINLINE int dbm__mysql_call(dbm__mysql *q, int call, int ready) {
    const dbm__mysql_base *base = q->base;
    const dbm__mysql_host *host = &base->hosts[q->host];
    bool plain = DBM__MYSQL_MARIADB && !q->tls && !q->connecting;
    dbm__hush quiet;
    int wait = 0;
    if (ready == 0) {
        q->call = call;
        if (call == DBM__MYSQL_FETCH && dbm__mysql_ahead(q) != DBM__MYSQL_UNKNOWN) {
            q->rc = mysql_stmt_fetch(q->stmt);
            return 0;
        }
        q->waits = q->may_wait && call != DBM__MYSQL_FETCH; /* which has been sent already */
#if DBM__MYSQL_MARIADB
        if (DBM__UNLIKELY(call == DBM__MYSQL_STMT_CLOSE && (q->stmt->mysql == NULL || q->broken))) { /* the server has forgotten it, or is gone */
            q->flag = mysql_stmt_close(q->stmt);
            return 0;
        }
#endif
    }
    if (DBM__UNLIKELY(!plain)) dbm__hush_begin(&quiet, q->tls || (!DBM__MYSQL_MARIADB && call != DBM__MYSQL_FETCH)); /* a fetch only reads */
    switch (call) {
    DBM__MYSQL_CALLS(DBM__MYSQL_RUN)
    default: break;
    }
    if (DBM__LIKELY(plain)) return wait;
    dbm__hush_end(&quiet);
    if (call == DBM__MYSQL_CONNECT && base->tls > DBM_TLS_OFF) {
        int64_t left = q->limit_us - dbm_adapter_clock(q->owner);
        if (wait != 0) dbm__mysql_tls_reads(q->my, left > 1000 ? left : 1000);
        else if (q->made != NULL) dbm__mysql_tls_reads(q->my, 0);
    }
    return wait;
}

static int dbm__mysql_query(dbm__mysql *q, const char *sql) {
    q->sql = sql;
    q->sql_size = strlen(sql);
    return DBM__MYSQL_QUERY;
}

/* What the last complete reply said about the transaction. In autocommit one can be open all the same, when a procedure has begun it: the next user must not go on in it. */
static void dbm__mysql_note_status(dbm__mysql *q) {
    q->open = (q->my->server_status & SERVER_STATUS_IN_TRANS) != 0;
    if (DBM__UNLIKELY(q->open && !q->unit)) dbm_adapter_state(q->c, DBM_STATE_TRANSACTION);
}

/* A flow is a function that is entered again and again; `place` says where it left off, and is 0 when it is through. `break` outside of a loop ends it. */
#define DBM__MYSQL_FLOW(place) \
    int *const dbm__at = &(place); \
    switch (*dbm__at) { \
    case 0:
#define DBM__MYSQL_OVER \
    break; \
    default: break; \
    } \
    *dbm__at = 0; \
    return DBM__MYSQL_DONE
/* In a flow: makes a call, and goes on behind it when it is through. */
#define DBM__MYSQL_AWAIT(call) \
    do { \
        *dbm__at = __LINE__; \
        if ((q->wait = dbm__mysql_call(q, (call), 0)) != 0) { \
            return DBM__MYSQL_WAITING; \
        case __LINE__:; \
        } \
    } while (0)
/* The same for a flow within a flow: its calls, until it is through; DO: unless it is refused. */
#define DBM__MYSQL_AWAIT_ALL(flow) \
    do { \
        for (;;) { \
            int dbm__more; /* without a value: C++ does not jump past one */ \
            dbm__more = (flow); \
            if (dbm__more == DBM__MYSQL_DONE) break; \
            *dbm__at = __LINE__; \
            return dbm__more; \
        case __LINE__:; \
        } \
    } while (0)
#define DBM__MYSQL_DO(flow) \
    DBM__MYSQL_AWAIT_ALL(flow); \
    if (q->refused) break
/* Has the server stop what it does for this operation, where nobody else has it do so just now. */
#define DBM__MYSQL_AWAIT_STOP \
    do { \
        *dbm__at = __LINE__; \
        if (dbm__mysql_stop(q)) { \
            return DBM__MYSQL_WAITING; \
        case __LINE__:; \
        } \
    } while (0)
/* Closes what a statement is to the library. */
#define DBM__MYSQL_CLOSE(statement) \
    q->stmt = (statement)->stmt; \
    (statement)->stmt = NULL; \
    DBM__MYSQL_AWAIT(DBM__MYSQL_STMT_CLOSE)

/* ---- rows put aside ------------------------------------------------------------------------------------------------------------ */

static void dbm__mysql_drop(dbm__mysql *q, dbm__mysql_statement *s) {
    dbm__aside_drop(q->owner, &s->aside, &q->spare);
    s->first = s->row = NULL;
    s->last = &s->first;
}

/* ---- columns ------------------------------------------------------------------------------------------------------------------- */

static dbm__mysql_cell *dbm__mysql_cells(const dbm__mysql_statement *s, int side) { return s->cells + (size_t)side * (size_t)s->columns; }

static bool dbm__mysql_named(const MYSQL_FIELD *field, bool format, const char *name) {
#if DBM__MYSQL_MARIADB && defined(MARIADB_FIELD_ATTR_LAST)
    MARIADB_CONST_STRING attr;
    attr.str = NULL;
    attr.length = 0;
    if (mariadb_field_attr(&attr, field, format ? MARIADB_FIELD_ATTR_FORMAT_NAME : MARIADB_FIELD_ATTR_DATA_TYPE_NAME) != 0 || attr.str == NULL) return false;
    return attr.length == strlen(name) && memcmp(attr.str, name, attr.length) == 0;
#else
    (void)field;
    (void)format;
    (void)name;
    return false;
#endif
}

static int dbm__mysql_how(const MYSQL_FIELD *field) {
    switch ((int)field->type) {
    case MYSQL_TYPE_TINY:
        if (field->length == 1 && !(field->flags & UNSIGNED_FLAG)) return DBM__MYSQL_TINY;
        return field->flags & UNSIGNED_FLAG ? DBM__MYSQL_UINT : DBM__MYSQL_INT;
    case MYSQL_TYPE_SHORT: case MYSQL_TYPE_LONG: case MYSQL_TYPE_INT24: case MYSQL_TYPE_LONGLONG: case MYSQL_TYPE_YEAR:
        return field->flags & UNSIGNED_FLAG ? DBM__MYSQL_UINT : DBM__MYSQL_INT;
    case MYSQL_TYPE_DOUBLE: return DBM__MYSQL_DOUBLE;
    case MYSQL_TYPE_FLOAT: return DBM__MYSQL_FLOAT;
    case MYSQL_TYPE_BIT: return DBM__MYSQL_BIT;
    case MYSQL_TYPE_DECIMAL: case MYSQL_TYPE_NEWDECIMAL: return DBM__MYSQL_DECIMAL_TEXT;
    case MYSQL_TYPE_TIMESTAMP: case MYSQL_TYPE_DATETIME: return DBM__MYSQL_DATETIME;
    case MYSQL_TYPE_DATE: case MYSQL_TYPE_NEWDATE: return DBM__MYSQL_DATE;
    case MYSQL_TYPE_TIME: return DBM__MYSQL_TIME_OF_DAY;
    case 245 /* MYSQL_TYPE_JSON */: return DBM__MYSQL_JSON_TEXT;
    case MYSQL_TYPE_GEOMETRY: return DBM__MYSQL_BLOB;
    default: break;
    }
    if (dbm__mysql_named(field, false, "uuid")) return DBM__MYSQL_UUID_TEXT;
    if (field->charsetnr == DBM__MYSQL_BINARY) return DBM__MYSQL_BLOB;
    return dbm__mysql_named(field, true, "json") ? DBM__MYSQL_JSON_TEXT : DBM__MYSQL_TEXT;
}

static void dbm__mysql_bind_cell(dbm__mysql_cell *cell, MYSQL_BIND *bind) {
    memset(bind, 0, sizeof *bind);
    bind->buffer_type = dbm__mysql_kinds[cell->how].given;
    bind->is_unsigned = cell->how == DBM__MYSQL_UINT;
    bind->length = &cell->size;
    bind->is_null = &cell->null;
    bind->error = &cell->cut;
    if (cell->how >= DBM__MYSQL_TEXT) {
        cell->value.as.text.data = cell->text;
        bind->buffer = cell->text;
        bind->buffer_length = cell->capacity - 1;
    } else if (cell->how == DBM__MYSQL_BIT) {
        bind->buffer = cell->written;
        bind->buffer_length = sizeof cell->written;
    } else if (cell->how <= DBM__MYSQL_TINY) {
        bind->buffer = &cell->value.as;
    } else {
        bind->buffer = &cell->as;
    }
}

static bool dbm__mysql_same_column(const MYSQL_FIELD *column, const MYSQL_FIELD *field) {
    return column->type == field->type && column->flags == field->flags && column->charsetnr == field->charsetnr &&
           column->length == field->length && column->decimals == field->decimals;
}

static void dbm__mysql_plan_free(dbm__mysql *q, dbm__mysql_statement *s) {
    int i;
    for (i = 0; i < 2 * s->columns; i++) dbm_adapter_free(q->owner, s->cells[i].text);
    dbm_adapter_free(q->owner, s->cells);
    s->cells = NULL;
    s->columns = 0;
    s->roomy[0] = s->roomy[1] = s->large = false;
}

/* Room for the texts of one set of cells. False: reported. */
static DBM__NOINLINE bool dbm__mysql_texts(dbm__mysql *q, dbm__mysql_statement *s, int side) {
    dbm__mysql_cell *cell = dbm__mysql_cells(s, side);
    int i;
    for (i = 0; i < s->columns; i++, cell++) {
        unsigned long want = s->plan[i].length < 15 ? 16 : s->plan[i].length < 255 ? s->plan[i].length + 1 : 256;
        if (cell->how < DBM__MYSQL_TEXT || cell->text != NULL) continue;
        cell->text = (char *)dbm_adapter_alloc(q->owner, want);
        if (cell->text == NULL) {
            dbm__mysql_no_memory(q);
            return false;
        }
        cell->capacity = want;
        s->rebind = true;
    }
    s->roomy[side] = true;
    return true;
}

/* After EXECUTE: how its columns are read. As a rule nothing has changed since the last time. False: reported. */
static bool dbm__mysql_plan(dbm__mysql *q, dbm__mysql_statement *s) {
    int count = (int)mysql_stmt_field_count(s->stmt), i;
    const MYSQL_FIELD *fields = s->stmt->fields;
    size_t n = (size_t)count;
    bool same = count == s->columns;
    for (i = 0; same && i < count; i++) same = dbm__mysql_same_column(&s->plan[i], &fields[i]);
    if (!same) {
        dbm__mysql_plan_free(q, s);
        s->cells = (dbm__mysql_cell *)dbm_adapter_alloc(q->owner, n * (2 * sizeof *s->cells + sizeof *s->binds + sizeof *s->plan));
        if (s->cells == NULL) {
            dbm__mysql_no_memory(q);
            return false;
        }
        memset(s->cells, 0, 2 * n * sizeof *s->cells);
        s->binds = (MYSQL_BIND *)(void *)(s->cells + 2 * n);
        s->plan = (MYSQL_FIELD *)(void *)(s->binds + n);
        memcpy(s->plan, fields, n * sizeof *s->plan);
        s->columns = count;
        s->simple = q->known;
        for (i = 0; i < count; i++) {
            dbm__mysql_cell *cell = &s->cells[i];
            int type = (int)fields[i].type;
            cell->how = dbm__mysql_how(&fields[i]);
            cell->value.type = dbm__mysql_kinds[cell->how].type;
            cell->is_signed = !(fields[i].flags & UNSIGNED_FLAG);
            if (cell->how >= DBM__MYSQL_TEXT) cell->wire = 0;
            else if (cell->how > DBM__MYSQL_TINY) cell->wire = -1;
            else cell->wire = type == MYSQL_TYPE_TINY ? 1 : type == MYSQL_TYPE_SHORT || type == MYSQL_TYPE_YEAR ? 2 : type == MYSQL_TYPE_LONG || type == MYSQL_TYPE_INT24 ? 4 : 8;
            s->simple = s->simple && cell->wire >= 0;
            s->cells[count + i] = *cell;
        }
        s->side = 0;
        s->rebind = true;
    }
    s->hand_cells = dbm__mysql_cells(s, s->side);
    return DBM__LIKELY(s->roomy[s->side]) || dbm__mysql_texts(q, s, s->side);
}

static bool dbm__mysql_bind_result(dbm__mysql *q, dbm__mysql_statement *s) {
    dbm__mysql_cell *cells = dbm__mysql_cells(s, s->side);
    int i;
    if (!s->rebind) return true;
    for (i = 0; i < s->columns; i++) dbm__mysql_bind_cell(&cells[i], &s->binds[i]);
    if (mysql_stmt_bind_result(s->stmt, s->binds) != 0) {
        dbm__mysql_fail(q, s->stmt);
        return false;
    }
    s->rebind = false;
    return true;
}

/* A row has come whose texts did not all fit: more room, and those columns once more. */
static DBM__NOINLINE bool dbm__mysql_grow(dbm__mysql *q, dbm__mysql_statement *s) {
    dbm__mysql_cell *cells = dbm__mysql_cells(s, s->side);
    int i;
    for (i = 0; i < s->columns; i++) {
        dbm__mysql_cell *cell = &cells[i];
        MYSQL_BIND bind;
        unsigned long size = cell->size, want;
        char *text;
        if (cell->how < DBM__MYSQL_TEXT || cell->null || size < cell->capacity) continue;
        want = size < 65536 ? size + size / 2 + 16 : size + 4096;
        text = (char *)dbm_adapter_alloc(q->owner, want);
        if (text == NULL) {
            dbm__mysql_no_memory(q);
            return false;
        }
        dbm_adapter_free(q->owner, cell->text);
        cell->text = text;
        cell->capacity = want;
        s->large = s->large || want > DBM__MYSQL_CELL_KEPT;
        s->rebind = true;
        dbm__mysql_bind_cell(cell, &bind);
        if (mysql_stmt_fetch_column(s->stmt, &bind, (unsigned)i, 0) != 0) {
            dbm__mysql_fail(q, s->stmt);
            return false;
        }
        cell->size = size;
    }
    return dbm__mysql_bind_result(q, s);
}

/* ---- values of a row ----------------------------------------------------------------------------------------------------------- */

static void dbm__mysql_text_value(dbm_value *out, dbm_type type, const char *data, size_t size) {
    out->type = type;
    out->as.text.data = data;
    out->as.text.size = size;
}

/* A date that is none, such as 0000-00-00, has no place on a time line: its text is given, which conversions to a timestamp refuse. */
static DBM__NOINLINE void dbm__mysql_time_value(unsigned decimals, dbm__mysql_cell *cell, dbm_value *out) {
    const MYSQL_TIME *t = &cell->as.time;
    bool interval = cell->how == DBM__MYSQL_TIME_OF_DAY;
    unsigned long hours = t->hour + (interval ? t->day * 24ul : 0);
    char *at = cell->written;
    if (cell->how == DBM__MYSQL_DATETIME && t->month != 0 && t->day != 0 && t->year != 0) {
        out->type = DBM_TYPE_TIMESTAMP;
        out->as.integer = (((dbm__days_of(t->year, (int)t->month, (int)t->day) * 24 + (int64_t)t->hour) * 60 + (int64_t)t->minute) * 60 +
                           (int64_t)t->second) * 1000000 + (int64_t)t->second_part;
        return;
    }
    if (!interval) { /* "2024-02-29" */
        at = dbm__put_digits(at, 0, t->year, 4);
        at = dbm__put_digits(at, '-', t->month, 2);
        at = dbm__put_digits(at, '-', t->day, 2);
    }
    if (cell->how == DBM__MYSQL_DATETIME) *at++ = ' ';
    if (cell->how != DBM__MYSQL_DATE) { /* "12:34:56.789", "-838:59:59" */
        if (interval && t->neg) *at++ = '-';
        at = dbm__put_digits(at, 0, (int64_t)hours, hours > 99 ? 3 : 2);
        at = dbm__put_digits(at, ':', t->minute, 2);
        at = dbm__put_digits(at, ':', t->second, 2);
        if (decimals > 6) decimals = t->second_part != 0 ? 6 : 0; /* not said */
        if (decimals != 0) at = dbm__put_digits(at, '.', (int64_t)t->second_part, 6) - 6 + decimals;
    }
    *at = '\0';
    dbm__mysql_text_value(out, DBM_TYPE_TEXT, cell->written, (size_t)(at - cell->written));
}

/* What is not simply copied. */
static DBM__NOINLINE void dbm__mysql_converted(unsigned decimals, dbm__mysql_cell *cell, dbm_value *out) {
    uint64_t v = cell->value.as.uinteger;
    size_t i;
    out->name = NULL;
    out->as.uinteger = v;
    switch (cell->how) {
    case DBM__MYSQL_UINT: out->type = v > (uint64_t)INT64_MAX ? DBM_TYPE_UINT : DBM_TYPE_INT; return;
    case DBM__MYSQL_TINY: out->type = v <= 1 ? DBM_TYPE_BOOL : DBM_TYPE_INT; return;
    case DBM__MYSQL_FLOAT:
        out->type = DBM_TYPE_DOUBLE;
        out->as.real = (double)cell->as.single;
        return;
    case DBM__MYSQL_BIT:
        for (v = 0, i = 0; i < cell->size && i < 8; i++) v = v << 8 | (unsigned char)cell->written[i];
        out->type = DBM_TYPE_UINT;
        out->as.uinteger = v;
        return;
    default: dbm__mysql_time_value(decimals, cell, out); return;
    }
}

DBM__INLINE void dbm__mysql_value(dbm__mysql_statement *s, dbm__mysql_cell *cells, int i, dbm_value *out) {
    dbm__mysql_cell *cell = &cells[i];
    if (DBM__UNLIKELY(cell->null)) {
        *out = dbm_null();
    } else if (cell->how <= DBM__MYSQL_DOUBLE) {
        *out = cell->value;
    } else if (cell->how >= DBM__MYSQL_TEXT) {
        cell->text[cell->size] = '\0';
        cell->value.as.text.size = cell->size;
        *out = cell->value;
    } else {
        dbm__mysql_converted(s->plan[i].decimals, cell, out);
    }
}

/* Of a row that came as text. */
static void dbm__mysql_value_of_text(dbm__mysql_statement *s, int i, dbm_value *out) {
    const char *text = s->text_row[i];
    size_t size = (size_t)s->text_sizes[i];
    dbm__mysql_cell cell;
    double real;
    cell.how = dbm__mysql_how(&mysql_fetch_fields(s->text_rows)[i]);
    *out = dbm_null();
    if (text == NULL) return;
    dbm__mysql_text_value(out, cell.how < DBM__MYSQL_TEXT ? DBM_TYPE_TEXT : dbm__mysql_kinds[cell.how].type, text, size);
    switch (cell.how) {
    case DBM__MYSQL_INT: case DBM__MYSQL_TINY: case DBM__MYSQL_UINT: {
        dbm__why why;
        bool number = cell.how == DBM__MYSQL_UINT ? dbm__to_uint(out, UINT64_MAX, &cell.value.as.uinteger, &why) == DBM_OK
                                                  : dbm__parse_int(text, INT64_MIN, INT64_MAX, &cell.value.as.integer);
        if (!number) return;
        if (cell.how != DBM__MYSQL_INT) dbm__mysql_converted(0, &cell, out);
        else *out = dbm_int(cell.value.as.integer);
        return;
    }
    case DBM__MYSQL_DOUBLE: case DBM__MYSQL_FLOAT:
        if (dbm__double_read(text, size, &real)) *out = dbm_double(real);
        return;
    case DBM__MYSQL_BIT:
        memcpy(cell.written, text, size < 8 ? size : 8);
        cell.size = (unsigned long)size;
        dbm__mysql_converted(0, &cell, out);
        return;
    case DBM__MYSQL_DATETIME:
        if (strncmp(text, "0000", 4) != 0 && dbm__timestamp_read(text, size, &cell.value.as.integer)) *out = dbm_timestamp(cell.value.as.integer);
        return;
    default: return;
    }
}

/* Of a row that was put aside, or came as text; there may be no such column. */
static DBM__NOINLINE dbm_status dbm__mysql_column_elsewhere(dbm_op *op, int i, dbm_value *out) {
    dbm__mysql_statement *s = (dbm__mysql_statement *)op->result;
    if ((unsigned)i >= (unsigned)op->columns) *out = dbm_null();
    else if (s->row != NULL) *out = ((dbm_value *)(void *)((char *)s->row + DBM__ASIDE_ALIGNED(sizeof *s->row)))[i];
    else dbm__mysql_value_of_text(s, i, out);
    return DBM_OK;
}

static dbm_status dbm__mysql_column_value(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    dbm__mysql_statement *s = (dbm__mysql_statement *)op->result;
    (void)c;
    if (DBM__UNLIKELY((unsigned)i >= (unsigned)op->columns || s->row != NULL || s->text_rows != NULL)) return dbm__mysql_column_elsewhere(op, i, out);
    dbm__mysql_value(s, s->hand_cells, i, out);
    return DBM_OK;
}

static const char *dbm__mysql_column_name(dbm_connection *c, dbm_op *op, int i) {
    dbm__mysql_statement *s = (dbm__mysql_statement *)op->result;
    const char *name = NULL;
    (void)c;
    if (s == NULL || (unsigned)i >= (unsigned)op->columns) return "";
    if (s->text_rows != NULL) name = mysql_fetch_fields(s->text_rows)[i].name;
    else if (s->stmt != NULL && s->stmt->fields != NULL) name = s->stmt->fields[i].name;
    return name != NULL ? name : "";
}

/* Copies the row that the library has just given behind those put aside before. */
static dbm_status dbm__mysql_keep_row(dbm__mysql *q, dbm__mysql_statement *s, size_t limit) {
    dbm_status status = DBM_OK;
    size_t head = DBM__ASIDE_ALIGNED(sizeof(dbm__mysql_row));
    dbm__mysql_row *row = (dbm__mysql_row *)dbm__aside_room(q->owner, &s->aside, &q->spare, head + (size_t)s->columns * sizeof(dbm_value), limit, &status);
    dbm_value *cells;
    int i;
    if (row == NULL) return status;
    row->next = NULL;
    cells = (dbm_value *)(void *)((char *)row + head);
    for (i = 0; i < s->columns; i++) {
        char *text;
        dbm__mysql_value(s, dbm__mysql_cells(s, s->side), i, &cells[i]);
        if (cells[i].type < DBM_TYPE_TEXT || cells[i].type == DBM_TYPE_TIMESTAMP) continue;
        text = (char *)dbm__aside_room(q->owner, &s->aside, &q->spare, cells[i].as.text.size + 1, limit, &status);
        if (text == NULL) return status;
        memcpy(text, cells[i].as.text.data, cells[i].as.text.size);
        text[cells[i].as.text.size] = '\0';
        cells[i].as.text.data = text;
    }
    *s->last = row;
    s->last = &row->next;
    return DBM_OK;
}

/* ---- flows within flows -------------------------------------------------------------------------------------------------------- */

static bool dbm__mysql_stop(dbm__mysql *q);

/* The result that is on its way has ended, well or not. */
static void dbm__mysql_result_over(dbm__mysql *q, dbm__mysql_statement *s) {
    s->open = false;
    if (q->active == s) q->active = NULL;
}

/* After the last row, or past the rest of them (`drop`): what else the statement answers (CALL has several results), without looking at it. A failure is
 * reported, and q->rc is not 0; with `drop` it is only kept in q->error. */
static int dbm__mysql_rest(dbm__mysql *q, dbm__mysql_statement *s, bool drop) {
    DBM__MYSQL_FLOW(q->sub)
    q->rc = 0;
    q->stmt = s->stmt;
    if (drop) {
        DBM__MYSQL_AWAIT(DBM__MYSQL_FLUSH);
        if (mysql_errno(q->my) != 0 && (int)mysql_errno(q->my) != DBM__MYSQL_INTERRUPTED) q->rc = 1;
    }
    while (q->rc == 0 && mysql_more_results(q->my)) {
        DBM__MYSQL_AWAIT(DBM__MYSQL_STMT_NEXT);
        s->rebind = true; /* the library has made room for other columns, and may have lost where the first ones go */
        if (q->rc == 0 && mysql_stmt_field_count(q->stmt) != 0) DBM__MYSQL_AWAIT(DBM__MYSQL_FLUSH);
    }
    dbm__mysql_result_over(q, s);
    if (q->rc <= 0) {
        q->rc = 0;
        dbm__mysql_note_status(q);
        break;
    }
    dbm__mysql_note_error(q, s->stmt);
    if (!drop) dbm__mysql_report(q);
    DBM__MYSQL_OVER;
}

/* Reads past the rest of a result, in constant memory. The server is told to stop when much is left of a query: that ends the statement alone, in a
 * transaction too. */
static int dbm__mysql_leave(dbm__mysql *q, dbm__mysql_statement *s) {
    DBM__MYSQL_FLOW(q->pre)
    s->ended = true;
    if (!s->open) break;
    if (s->reads) {
        q->leave_at = s->seen + DBM__MYSQL_LEAVE_ROWS;
        q->stmt = s->stmt;
        do {
            s->seen++;
            DBM__MYSQL_AWAIT(DBM__MYSQL_FETCH);
        } while ((q->rc == 0 || q->rc == MYSQL_DATA_TRUNCATED) && s->seen < q->leave_at);
        if (q->rc == 1) dbm__mysql_note_error(q, s->stmt);
        if (q->rc == MYSQL_NO_DATA) dbm__mysql_note_status(q);
        if (q->rc != 0 && q->rc != MYSQL_DATA_TRUNCATED) {
            dbm__mysql_result_over(q, s);
            break;
        }
        DBM__MYSQL_AWAIT_STOP;
    }
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_rest(q, s, true));
    DBM__MYSQL_OVER;
}

/* Puts the rest of a result aside. The row in hand stays where it is: the rows that come go into the other set of cells. A failure is reported. */
static int dbm__mysql_hold(dbm__mysql *q, dbm__mysql_statement *s, size_t limit) {
    dbm_status status;
    DBM__MYSQL_FLOW(q->pre)
    if (!s->open || s->held) break;
    s->side = 1 - s->side;
    s->rebind = true;
    s->held = true;
    dbm__mysql_drop(q, s);
    if ((!s->roomy[s->side] && !dbm__mysql_texts(q, s, s->side)) || !dbm__mysql_bind_result(q, s)) goto spoil;
    q->stmt = s->stmt;
    for (;;) {
        DBM__MYSQL_AWAIT(DBM__MYSQL_FETCH);
        if (q->rc == MYSQL_DATA_TRUNCATED && !dbm__mysql_grow(q, s)) goto spoil;
        if (q->rc != 0 && q->rc != MYSQL_DATA_TRUNCATED) break;
        status = dbm__mysql_keep_row(q, s, limit);
        if (status == DBM_OK) continue;
        if (status == DBM_E_NOMEM) {
            dbm__mysql_no_memory(q);
        } else {
            DBM__MYSQL_SAY(q, DBM_E_LIMIT, "54000", 0, "a connection to MySQL reads one result at a time, so the rest of the rows had to be put aside, and "
                           "they do not fit into row_buffer (%z bytes; %l rows are read): raise row_buffer, read fewer rows at a time (LIMIT), or run the "
                           "other statement after the loop", limit, s->seen);
        }
        goto spoil;
    }
    if (q->rc == 1) {
        dbm__mysql_fail(q, s->stmt);
        dbm__mysql_result_over(q, s);
        goto spoil;
    }
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_rest(q, s, false));
    if (q->rc == 0) break;
spoil:
    s->spoiled = true;
    dbm__mysql_drop(q, s);
    if (s->open) DBM__MYSQL_AWAIT_ALL(dbm__mysql_rest(q, s, true));
    DBM__MYSQL_OVER;
}

/* Frees what a statement is to us; its MYSQL_STMT is closed by now. */
static void dbm__mysql_statement_free(dbm__mysql *q, dbm__mysql_statement *s) {
    dbm__mysql_drop(q, s);
    dbm__mysql_plan_free(q, s);
    if (s->text_rows != NULL) mysql_free_result(s->text_rows);
    dbm_adapter_free(q->owner, s->values);
    dbm_adapter_free(q->owner, s);
}

/* Before a statement is sent: no result is on its way any more, and statements that were given up are closed. After a failure q->refused is set. */
static int dbm__mysql_clear(dbm__mysql *q, size_t limit) {
    dbm__mysql_statement *s;
    if (q->active != NULL) {
        int call = dbm__mysql_hold(q, q->active, limit);
        if (call != DBM__MYSQL_DONE) return call;
        if (q->refused) return DBM__MYSQL_DONE;
    }
    s = q->closing;
    if (s != NULL) {
        q->closing = s->next;
        q->stmt = s->stmt;
        s->stmt = NULL;
        dbm__mysql_statement_free(q, s);
        if (q->stmt != NULL) return DBM__MYSQL_STMT_CLOSE;
        return dbm__mysql_clear(q, limit);
    }
    return DBM__MYSQL_DONE;
}

/* ---- prepare ------------------------------------------------------------------------------------------------------------------- */

/* Makes what we keep of a statement. NULL: no memory, reported. */
static dbm__mysql_statement *dbm__mysql_statement_new(dbm__mysql *q, const dbm_prepared *p) {
    static const char *const words[] = { "insert", "replace", "update", "delete", "load", "select", "with", "table", "values", "call" };
    enum { INSERTS = 2, CHANGES = 5, READS = 9, WORDS = 10 };
    dbm__mysql_statement *s = (dbm__mysql_statement *)dbm_adapter_alloc(q->owner, sizeof *s);
    size_t at = 0, size = 0, i = WORDS;
    int depth = 0;
    const char *word = dbm__sql_word(p->sql, p->sql_size, DBM__MYSQL_LEXER, &at, &depth, &size);
    if (s == NULL) {
        dbm__mysql_no_memory(q);
        return NULL;
    }
    memset(s, 0, sizeof *s);
    s->last = &s->first;
    if (word != NULL) for (i = 0; i < WORDS && !dbm__same_word_n(word, size, words[i]); i++) { }
    s->inserts = i < INSERTS;
    s->changes = i < CHANGES;
    s->reads = i >= CHANGES && i < READS;
    s->calls = i == READS;
    return s;
}

/* Whether it is worth a PREPARE: what has neither values nor rows (CREATE, SET, LOCK) is run once as a rule, and goes as text in one round trip. */
static bool dbm__mysql_as_text(const dbm__mysql_statement *s, const dbm_prepared *p) {
    return p->parameters == 0 && !p->returns_rows && !s->changes && !s->calls;
}

/* Prepares s->stmt for p. A failure is reported; s->stmt is NULL when it must go as text. */
static int dbm__mysql_prepare(dbm__mysql *q, dbm__mysql_statement *s, dbm_prepared *p) {
    int found;
    bool failed;
    DBM__MYSQL_FLOW(q->sub)
    s->generation = q->generation;
    s->stmt = mysql_stmt_init(q->my);
    if (s->stmt == NULL) {
        dbm__mysql_no_memory(q);
        break;
    }
    q->stmt = s->stmt;
    q->sql = p->sql;
    q->sql_size = p->sql_size;
    DBM__MYSQL_AWAIT(DBM__MYSQL_PREPARE);
    if (q->rc != 0) {
        failed = q->failed;
        dbm__mysql_note_error(q, s->stmt);
        q->failed = failed; /* the server lets go of all that it took for a PREPARE */
        if (q->error.native != DBM__MYSQL_NOT_PREPARABLE || p->parameters != 0) dbm__mysql_report(q);
        DBM__MYSQL_CLOSE(s);
        break;
    }
    found = (int)mysql_stmt_param_count(s->stmt);
    s->bound = false;
    if (found != p->parameters) {
        DBM__MYSQL_SAY(q, DBM_E_MISUSE, "42P02", 0, "the server sees %d parameters in this statement where dbm.h counted %d: was sql_mode changed "
                       "(ANSI_QUOTES, NO_BACKSLASH_ESCAPES) by this session?", found, p->parameters);
        break;
    }
    if (found != 0 && s->values == NULL) {
        size_t each = sizeof(MYSQL_BIND) + sizeof(MYSQL_TIME);
        s->values = (MYSQL_BIND *)dbm_adapter_alloc(q->owner, (size_t)found * each);
        if (s->values == NULL) {
            dbm__mysql_no_memory(q);
            break;
        }
        memset(s->values, 0, (size_t)found * each);
        s->times = (MYSQL_TIME *)(void *)(s->values + found);
    }
    p->returns_rows = mysql_stmt_field_count(s->stmt) != 0 || s->calls;
    DBM__MYSQL_OVER;
}

/* The same for one that may have been prepared before, and that the server knows no longer. */
static int dbm__mysql_renew(dbm__mysql *q, dbm__mysql_statement *s, dbm_prepared *p) {
    DBM__MYSQL_FLOW(q->pre)
    if (s->stmt != NULL) {
        dbm__mysql_plan_free(q, s);
        DBM__MYSQL_CLOSE(s);
    }
    s->generation = q->generation;
    if (dbm__mysql_as_text(s, p)) break;
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_prepare(q, s, p));
    if (q->refused) s->generation = q->generation - 1;
    DBM__MYSQL_OVER;
}

/* To be closed before the next statement is sent, and freed. */
static void dbm__mysql_close_later(dbm__mysql *q, dbm__mysql_statement *s) {
    s->next = q->closing;
    q->closing = s;
}

static int dbm__mysql_op_prepare(dbm__mysql *q, dbm_op *op) {
    dbm_prepared *p = op->prepared;
    dbm__mysql_statement *s = q->closing; /* from when it is made until it is prepared: should that fail, or be given up */
    DBM__MYSQL_FLOW(q->phase)
    DBM__MYSQL_DO(dbm__mysql_clear(q, dbm_adapter_config(q->owner)->row_buffer));
    if ((s = dbm__mysql_statement_new(q, p)) == NULL) break;
    dbm__mysql_close_later(q, s);
    DBM__MYSQL_DO(dbm__mysql_renew(q, s, p));
    q->closing = s->next;
    p->data = s;
    p->single = true;
    DBM__MYSQL_OVER;
}

static int dbm__mysql_op_unprepare(dbm__mysql *q, dbm_op *op) {
    DBM__MYSQL_FLOW(q->phase)
    if (op->prepared->data == NULL) break;
    dbm__mysql_close_later(q, (dbm__mysql_statement *)op->prepared->data);
    op->prepared->data = NULL;
    if (q->active == NULL && !q->broken) DBM__MYSQL_AWAIT_ALL(dbm__mysql_clear(q, 0));
    DBM__MYSQL_OVER;
}

/* Runs a statement of our own and reports its failure. */
static int dbm__mysql_own(dbm__mysql *q, const char *sql) {
    DBM__MYSQL_FLOW(q->sub)
    DBM__MYSQL_AWAIT(dbm__mysql_query(q, sql));
    if (q->rc != 0) dbm__mysql_fail(q, NULL);
    DBM__MYSQL_OVER;
}

/* The server's autocommit, as this session needs it. */
static int dbm__mysql_mode(dbm__mysql *q) {
    if (q->sub == 0 && q->autocommit != q->unit) return DBM__MYSQL_DONE;
    {
        int call = dbm__mysql_own(q, q->unit ? "SET autocommit=0" : "SET autocommit=1");
        if (call != DBM__MYSQL_DONE) return call;
    }
    if (!q->refused) {
        q->autocommit = !q->unit;
        dbm__mysql_note_status(q);
    }
    return DBM__MYSQL_DONE;
}

/* Before a statement is sent. */
static int dbm__mysql_ready(dbm__mysql *q, size_t row_buffer) {
    int call = dbm__mysql_clear(q, row_buffer);
    return call != DBM__MYSQL_DONE || q->refused ? call : dbm__mysql_mode(q);
}

/* ---- execute ------------------------------------------------------------------------------------------------------------------- */

static bool dbm__mysql_bind_time(dbm__mysql *q, int64_t us, MYSQL_TIME *t, int number) {
    dbm__calendar c;
    dbm__calendar_of(us, &c);
    if (c.year < 1 || c.year > 9999) {
        DBM__MYSQL_SAY(q, DBM_E_RANGE, "22008", 0, "parameter %d is a timestamp outside of the years 0001 to 9999", number);
        return false;
    }
    memset(t, 0, sizeof *t);
    t->year = (unsigned)c.year;
    t->month = (unsigned)c.month;
    t->day = (unsigned)c.day;
    t->hour = (unsigned)c.hour;
    t->minute = (unsigned)c.minute;
    t->second = (unsigned)c.second;
    t->second_part = (unsigned long)c.us;
    t->time_type = MYSQL_TIMESTAMP_DATETIME;
    return true;
}

/* Of what is none the server takes a part, or 0, and says nothing. */
static bool dbm__mysql_is_decimal(const char *text, size_t size) {
    bool digits = false, point = false, power = false;
    size_t i;
    for (i = 0; i < size; i++) {
        if (text[i] >= '0' && text[i] <= '9') digits = true;
        else if (text[i] == '.' && !point) point = true;
        else if ((text[i] == 'e' || text[i] == 'E') && digits && !power) {
            digits = false;
            point = power = true;
        } else if ((text[i] != '-' && text[i] != '+') || (i != 0 && text[i - 1] != 'e' && text[i - 1] != 'E')) return false;
    }
    return digits;
}

/* Describes a value to the library. False: reported. */
DBM__INLINE bool dbm__mysql_bind_value(dbm__mysql *q, const dbm_value *v, MYSQL_TIME *time, int number, MYSQL_BIND *b) {
    static const unsigned char types[] = { MYSQL_TYPE_NULL, MYSQL_TYPE_LONGLONG, MYSQL_TYPE_LONGLONG, MYSQL_TYPE_DOUBLE, MYSQL_TYPE_LONGLONG, MYSQL_TYPE_STRING,
                                           MYSQL_TYPE_BLOB, MYSQL_TYPE_NEWDECIMAL, MYSQL_TYPE_DATETIME, MYSQL_TYPE_STRING, MYSQL_TYPE_STRING };
    if (DBM__UNLIKELY((unsigned)v->type >= sizeof types)) {
        DBM__MYSQL_SAY(q, DBM_E_MISUSE, NULL, 0, "parameter %d has a type that can't be a value", number);
        return false;
    }
    b->is_unsigned = v->type == DBM_TYPE_UINT;
    b->buffer_type = (enum enum_field_types)types[v->type];
    b->buffer = (void *)(uintptr_t)&v->as; /* of a number */
    b->buffer_length = 8;
    if (v->type < DBM_TYPE_TEXT) {
        if (v->type != DBM_TYPE_DOUBLE || v->as.real - v->as.real == 0) return true;
        /* NaN and the infinities */
        DBM__MYSQL_SAY(q, DBM_E_RANGE, "22003", 0, "parameter %d is not a finite number, and MySQL has no such values; pass dbm_null() if that is meant", number);
        return false;
    }
    if (v->type == DBM_TYPE_TIMESTAMP) {
        b->buffer = time;
        return dbm__mysql_bind_time(q, v->as.integer, time, number);
    }
    b->buffer = (void *)(uintptr_t)(v->as.text.data != NULL ? v->as.text.data : "");
    b->buffer_length = (unsigned long)v->as.text.size;
    if (DBM__LIKELY(v->type != DBM_TYPE_DECIMAL || dbm__mysql_is_decimal((const char *)b->buffer, v->as.text.size))) return true;
    DBM__MYSQL_SAY(q, DBM_E_RANGE, "22018", 0, "parameter %d is not a decimal number such as -12.50", number);
    return false;
}

/* Binds the values; q->total becomes what there is to send. What the library was told of the types stays when they are those of the time before: the
 * server is then not told them once more either. False: reported. */
static bool dbm__mysql_bind(dbm__mysql *q, dbm__mysql_statement *s, const dbm_value *values, int count) {
    bool same = DBM__MYSQL_MARIADB && s->bound;
    size_t size = 0;
    int i;
    for (i = 0; i < count; i++) {
        const dbm_value *v = &values[i];
        MYSQL_BIND *b = &s->values[i];
        enum enum_field_types type = b->buffer_type;
        dbm__mysql_bool is_unsigned = b->is_unsigned;
        if (DBM__UNLIKELY(!dbm__mysql_bind_value(q, v, &s->times[i], i + 1, b))) {
            s->bound = false;
            return false;
        }
        same = same && b->buffer_type == type && b->is_unsigned == is_unsigned;
        if (same) s->stmt->params[i].buffer = b->buffer;
        if (v->type >= DBM_TYPE_TEXT && v->type != DBM_TYPE_TIMESTAMP) {
            size += v->as.text.size;
            if (same) s->stmt->params[i].buffer_length = b->buffer_length;
        }
    }
    q->total += size;
    if (same || count == 0) return true;
    if (mysql_stmt_bind_param(s->stmt, s->values) != 0) {
        bool failed = q->failed;
        dbm__mysql_fail(q, s->stmt);
        q->failed = failed;
        return false;
    }
    s->bound = true;
    return true;
}

/* Asks the server for a number; q->number is 0 when it gives none. */
static int dbm__mysql_ask(dbm__mysql *q, const char *sql) {
    MYSQL_ROW row;
    DBM__MYSQL_FLOW(q->sub)
    q->number = 0;
    q->rows = NULL;
    DBM__MYSQL_AWAIT(dbm__mysql_query(q, sql));
    if (q->rc == 0) DBM__MYSQL_AWAIT(DBM__MYSQL_STORE);
    if (q->rows == NULL) break;
    row = mysql_fetch_row(q->rows);
    if (row != NULL && row[0] != NULL && !dbm__parse_int(row[0], 1, INT64_MAX, &q->number)) q->number = 0;
    mysql_free_result(q->rows);
    DBM__MYSQL_OVER;
}

/* The limit of a packet, asked of the server when something large is to be sent for the first time. */
static int dbm__mysql_ask_limit(dbm__mysql *q) {
    int call = dbm__mysql_ask(q, "SELECT @@max_allowed_packet");
    const char *own = dbm_adapter_option(q->owner, "max_allowed_packet");
    size_t of_ours;
    if (call != DBM__MYSQL_DONE) return call;
    q->packet = (uint64_t)q->number;
    if (q->packet == 0) dbm__mysql_fail(q, NULL);
    else if (own != NULL && dbm__parse_size(own, &of_ours) && of_ours < q->packet) q->packet = of_ours;
    return DBM__MYSQL_DONE;
}

/* A statement was refused by the server. In a transaction that was open, one that is neither a query nor a change of rows may have committed
 * it all the same before it failed (CREATE TABLE of one that exists): the server is asked. */
static int dbm__mysql_refused(dbm__mysql *q, const dbm__mysql_statement *s) {
    DBM__MYSQL_FLOW(q->sub)
    if (q->unit && q->was_open && !s->changes && !s->reads && q->error.native < DBM__MYSQL_CLIENT_FIRST && q->error.native != DBM__MYSQL_DEADLOCK &&
        dbm__mysql_status(q->error.native) != DBM_E_LOST) {
        DBM__MYSQL_AWAIT(dbm__mysql_query(q, "DO 0"));
        if (q->rc == 0) {
            dbm__mysql_note_status(q);
            if (!q->open && q->wrote) {
                q->failed = true;
                DBM__MYSQL_SAY(q, DBM_E_IMPLICIT_COMMIT, q->error.sqlstate, q->error.native,
                               "%s; MySQL commits before such a statement, so what this transaction had written before it is kept", q->error.text);
                q->wrote = false;
                break;
            }
        }
    }
    dbm__mysql_report(q);
    DBM__MYSQL_OVER;
}

/* A statement has been done: its numbers, and what became of the transaction. */
static void dbm__mysql_done(dbm__mysql *q, const dbm__mysql_statement *s, dbm_op *op) {
    dbm__mysql_note_status(q);
    if (op->prepared->writes) {
        /* Neither a query nor a change of rows, and no transaction stands after it: it has committed, itself and what was before it. */
        if (q->unit && !q->open && !s->reads && !s->changes && !s->calls && !q->failed) {
            op->ended = true;
            q->wrote = false;
        } else if (op->affected != 0) {
            q->wrote = true;
        }
    }
    if (q->unit && !s->reads && !s->changes) q->failed = q->failed || s->calls; /* what a procedure leaves is its own affair */
}

#if !DBM__MYSQL_MARIADB
static int64_t dbm__mysql_usual_limit(const dbm__mysql *q) {
    int ms = dbm_adapter_config(q->owner)->statement_timeout_ms;
    return ms > 0 ? ms : 0;
}

/* The calls block, so that it is the server that ends a statement at its deadline: it is told how long the next one may take, when that is not what
 * it was told before. */
static int dbm__mysql_limit(dbm__mysql *q, int64_t deadline_us) {
    int call;
    if (q->sub == 0) {
        int64_t want = dbm__mysql_usual_limit(q), left;
        const char *name = q->mariadb ? "max_statement_time" : "max_execution_time";
        if (deadline_us != INT64_MAX) {
            left = (deadline_us - dbm_adapter_clock(q->owner) + 999) / 1000;
            if (left < 1) left = 1;
            if (left > INT64_C(31536000000)) left = INT64_C(31536000000);
            if (want == 0 || left < want) want = left;
        }
        if (want == q->limit_ms) return DBM__MYSQL_DONE;
        q->limit_ms = want;
        if (want == 0) dbm__format(q->text, sizeof q->text, "SET %s=DEFAULT", name);
        else if (q->mariadb) dbm__format(q->text, sizeof q->text, "SET %s=%l/1000e0", name, want);
        else dbm__format(q->text, sizeof q->text, "SET %s=%l", name, want);
    }
    call = dbm__mysql_own(q, q->text);
    if (call == DBM__MYSQL_DONE && q->refused) q->limit_ms = -1;
    return call;
}
#endif

static void dbm__mysql_numbers(const dbm__mysql_statement *s, dbm_op *op, uint64_t affected, uint64_t id) {
    if (!op->prepared->writes) return;
    op->affected = affected == UINT64_MAX ? 0 : (int64_t)affected;
    if (s->inserts) op->last_id = id <= (uint64_t)INT64_MAX ? (int64_t)id : 0;
}

static bool dbm__mysql_is_undone(dbm__mysql *q) {
    if (DBM__LIKELY(!q->unit || !q->undone)) return false;
    DBM__MYSQL_SAY(q, DBM_E_ROLLED_BACK, "40000", 0, "the server has rolled back this whole transaction because of a deadlock, and nothing of it was committed: run it again");
    return true;
}

/* Runs q->sql as text. The rows of its first result come to q->first, those of others are dropped. A failure is kept in q->error, and q->rc is not 0. */
static int dbm__mysql_text(dbm__mysql *q) {
    DBM__MYSQL_FLOW(q->sub)
    q->first = NULL;
    q->number = 0;
    DBM__MYSQL_AWAIT(DBM__MYSQL_QUERY);
    while (q->rc == 0) {
        if (q->number == 0) {
            q->affected = mysql_affected_rows(q->my);
            q->made_id = mysql_insert_id(q->my);
        }
        if (mysql_field_count(q->my) != 0) {
            DBM__MYSQL_AWAIT(DBM__MYSQL_STORE);
            if (q->number == 0) q->first = q->rows;
            else if (q->rows != NULL) mysql_free_result(q->rows);
            q->rc = q->rows == NULL;
        }
        q->number++;
        if (q->rc != 0 || !mysql_more_results(q->my)) break;
        DBM__MYSQL_AWAIT(DBM__MYSQL_NEXT);
    }
    if (q->rc > 0) {
        dbm__mysql_note_error(q, NULL);
        if (q->first != NULL) mysql_free_result(q->first);
        break;
    }
    q->rc = 0;
    DBM__MYSQL_OVER;
}

static void dbm__mysql_text_row(dbm__mysql_statement *s) {
    s->text_row = mysql_fetch_row(s->text_rows);
    s->text_sizes = mysql_fetch_lengths(s->text_rows);
    s->ended = s->text_row == NULL;
}

static void dbm__mysql_text_free(dbm__mysql_statement *s) {
    if (s->text_rows != NULL) mysql_free_result(s->text_rows);
    s->text_rows = NULL;
}

/* After a fetch that was not the end: q->rc is 0, or it has failed and is reported. */
DBM__INLINE void dbm__mysql_fetched(dbm__mysql *q, dbm__mysql_statement *s) {
    if (DBM__LIKELY(q->rc == 0) || (q->rc == MYSQL_DATA_TRUNCATED && dbm__mysql_grow(q, s))) {
        q->rc = 0;
        s->seen++;
    } else if (q->rc != MYSQL_DATA_TRUNCATED) {
        dbm__mysql_fail(q, s->stmt);
        dbm__mysql_result_over(q, s);
        s->ended = true;
    }
}

#if DBM__MYSQL_AHEAD
#define DBM__MYSQL_LOW4(p) ((uint32_t)(p)[0] | (uint32_t)(p)[1] << 8 | (uint32_t)(p)[2] << 16 | (uint32_t)(p)[3] << 24)

/* Puts the row that stands next in the library's buffer into the cells, as the library would, which takes five times as long. False, and it is the library's
 * turn: it has not begun with these rows, there is more to it, or a text needs more room. */
DBM__INLINE bool dbm__mysql_take(dbm__mysql *q, const dbm__mysql_statement *s) {
    NET *net = &q->my->net;
    const unsigned char *head = net->pvio->cache_pos, *nulls = head + 5, *p = nulls + (s->columns + 9) / 8;
    const unsigned char *end = head + 4 + ((size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16);
    dbm__mysql_cell *cell = s->hand_cells, *last = cell + s->columns;
    unsigned bit = 2; /* two are not used */
    if (!s->simple || s->stmt->state != MYSQL_STMT_USER_FETCHING || head[3] != (unsigned char)net->pkt_nr || p > end) return false;
    for (; cell < last; cell++, bit++) {
        size_t size = (size_t)cell->wire;
        cell->null = nulls[bit / 8] >> bit % 8 & 1;
        if (cell->null) continue;
        if (size != 0) {
            if ((size_t)(end - p) < size) return false;
            if (size == 8) cell->value.as.uinteger = DBM__MYSQL_LOW4(p) | (uint64_t)DBM__MYSQL_LOW4(p + 4) << 32; /* or the bits of a double */
            else cell->value.as.uinteger = size == 4 ? DBM__MYSQL_LOW4(p) : size == 2 ? p[0] | (unsigned)p[1] << 8 : p[0];
            if (cell->is_signed && size < 8 && cell->value.as.uinteger >> (8 * size - 1) != 0) cell->value.as.uinteger |= UINT64_MAX << 8 * size;
        } else {
            if (p == end) return false;
            size = *p++;
            if (size == 252 && end - p >= 2) {
                size = (size_t)p[0] | (size_t)p[1] << 8;
                p += 2;
            } else if (size > 250) {
                return false;
            }
            if ((size_t)(end - p) < size || size >= cell->capacity) return false;
            memcpy(cell->text, p, size);
            cell->size = (unsigned long)size;
        }
        p += size;
    }
    if (p != end) return false;
    net->pvio->cache_pos += end - head;
    net->compress_pkt_nr = ++net->pkt_nr;
    return true;
}
#endif

/* The next row, which has been read already. */
DBM__INLINE void dbm__mysql_fetch(dbm__mysql *q, dbm__mysql_statement *s) {
    q->rc = mysql_stmt_fetch(s->stmt);
    dbm__mysql_fetched(q, s);
}

/* The next row from the server into the cells: q->rc as of a fetch. After the last one the rest is read too. A failure is reported. */
static int dbm__mysql_next_row(dbm__mysql *q, dbm__mysql_statement *s) {
    DBM__MYSQL_FLOW(q->pre)
    q->stmt = s->stmt;
    DBM__MYSQL_AWAIT(DBM__MYSQL_FETCH);
    if (q->rc != MYSQL_NO_DATA) {
        dbm__mysql_fetched(q, s);
        break;
    }
    s->ended = true;
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_rest(q, s, false));
    if (q->rc == 0) q->rc = MYSQL_NO_DATA;
    DBM__MYSQL_OVER;
}

/* Whether the rows end with what has been read already: then they have ended. */
DBM__INLINE bool dbm__mysql_end_at_hand(dbm__mysql *q, dbm__mysql_statement *s) {
    if (dbm__mysql_ahead(q) != DBM__MYSQL_END) return false;
    (void)mysql_stmt_fetch(s->stmt);
    dbm__mysql_note_status(q);
    dbm__mysql_result_over(q, s);
    s->ended = true;
    return true;
}

static void dbm__mysql_result_new(dbm__mysql *q, dbm__mysql_statement *s) {
    s->ended = s->held = s->spoiled = s->open = false;
    s->seen = 0;
    s->row = NULL;
    if (s->aside.chunks != NULL) dbm__mysql_drop(q, s);
    dbm__mysql_text_free(s);
}

/* RETURNING: how many rows it was, and the key that was generated, which is by custom the first column. */
static void dbm__mysql_returned(dbm__mysql_statement *s, dbm_op *op) {
    const dbm__mysql_row *row;
    dbm_value key = dbm_null();
    op->affected = op->row;
    for (row = s->first; row != NULL; row = row->next) op->affected++;
    if (op->row) dbm__mysql_value(s, s->hand_cells, 0, &key);
    if (s->inserts) op->last_id = key.type == DBM_TYPE_INT ? key.as.integer : 0;
}

static int dbm__mysql_op_execute(dbm__mysql *q, dbm_op *op) {
    dbm_prepared *p = op->prepared;
    dbm__mysql_statement *s = (dbm__mysql_statement *)p->data;
    bool failed;
    DBM__MYSQL_FLOW(q->phase)
    q->again = false;
    op->ended = false;
    if (dbm__mysql_is_undone(q)) break;
    if (DBM__UNLIKELY(q->active != NULL || q->closing != NULL || q->autocommit == q->unit)) {
        DBM__MYSQL_DO(dbm__mysql_ready(q, op->row_buffer));
    }
    if (s == NULL) {
        s = dbm__mysql_statement_new(q, p);
        if (s == NULL) break;
        p->data = s;
        p->single = true;
        s->generation = q->generation - 1;
    }
    dbm__mysql_result_new(q, s);
    if (DBM__UNLIKELY(s->generation != q->generation)) {
    prepare_again:
        DBM__MYSQL_DO(dbm__mysql_renew(q, s, p));
    }
    q->total = p->sql_size;
    if (s->stmt != NULL && !dbm__mysql_bind(q, s, op->values, op->value_count)) break;
    if (DBM__UNLIKELY(q->total >= DBM__MYSQL_LARGE)) {
        if (q->packet == 0) {
            DBM__MYSQL_DO(dbm__mysql_ask_limit(q));
        }
        if (q->total + 16u * (size_t)op->value_count + 64 > q->packet) {
            DBM__MYSQL_SAY(q, DBM_E_LIMIT, "54000", 0, "the statement and its values have %z bytes, more than max_allowed_packet of the server, which is "
                           "%u: raise it there (SET GLOBAL max_allowed_packet, for connections made from then on), or send less at a time; nothing was sent",
                           q->total, q->packet);
            break;
        }
    }
#if !DBM__MYSQL_MARIADB
    DBM__MYSQL_DO(dbm__mysql_limit(q, op->deadline_us));
#endif
    q->was_open = q->open;
    if (s->stmt == NULL) { /* what can't be prepared, or is not worth it */
        q->sql = p->sql;
        q->sql_size = p->sql_size;
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_text(q));
        if (q->rc != 0) {
            DBM__MYSQL_AWAIT_ALL(dbm__mysql_refused(q, s));
            break;
        }
        s->text_rows = q->first;
        if (q->first != NULL) {
            op->result = s;
            op->columns = (int)mysql_num_fields(q->first);
            op->settled = true;
            dbm__mysql_text_row(s);
            op->row = !s->ended;
        } else {
            dbm__mysql_numbers(s, op, q->affected, q->made_id);
        }
        dbm__mysql_done(q, s, op);
        break;
    }
    q->stmt = s->stmt;
    DBM__MYSQL_AWAIT(DBM__MYSQL_EXECUTE);
    if (q->rc != 0) {
        failed = q->failed;
        s->bound = false;
        dbm__mysql_note_error(q, s->stmt);
        if (!q->again && (q->error.native == DBM__MYSQL_NEED_REPREPARE || q->error.native == DBM__MYSQL_NEW_METADATA)) {
            q->again = true;
            q->failed = failed;
            goto prepare_again;
        }
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_refused(q, s));
        break;
    }
    if (mysql_stmt_field_count(s->stmt) == 0) {
        dbm__mysql_numbers(s, op, mysql_stmt_affected_rows(s->stmt), mysql_stmt_insert_id(s->stmt));
        if (DBM__UNLIKELY(mysql_more_results(q->my))) {
            DBM__MYSQL_DO(dbm__mysql_rest(q, s, false));
        }
        dbm__mysql_done(q, s, op);
        break;
    }
    s->open = true;
    q->active = s;
    op->result = s;
    if (!dbm__mysql_plan(q, s) || !dbm__mysql_bind_result(q, s)) break;
    op->columns = s->columns;
    if (DBM__LIKELY(dbm__mysql_ahead(q) == DBM__MYSQL_ROW)) {
        dbm__mysql_fetch(q, s);
    } else {
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_next_row(q, s));
    }
    if (q->refused) break;
    op->row = q->rc == 0;
    if (op->row) (void)dbm__mysql_end_at_hand(q, s); /* it may be the only one */
    if (p->writes && !s->reads && !s->calls) { /* RETURNING, ANALYZE TABLE: all of its work is done before it answers */
        if (op->row) {
            DBM__MYSQL_DO(dbm__mysql_hold(q, s, op->row_buffer != 0 ? op->row_buffer : SIZE_MAX));
        }
        op->settled = true;
        if (s->changes) dbm__mysql_returned(s, op);
        dbm__mysql_done(q, s, op);
    }
    DBM__MYSQL_OVER;
}

static int dbm__mysql_op_fetch(dbm__mysql *q, dbm_op *op) {
    dbm__mysql_statement *s = (dbm__mysql_statement *)op->result;
    DBM__MYSQL_FLOW(q->phase)
    q->status = DBM_DONE;
    if (s == NULL) break;
    if (s->spoiled) {
        DBM__MYSQL_SAY(q, DBM_E_LIMIT, "54000", 0, "the rest of these rows was dropped, because it did not fit into row_buffer");
        break;
    }
    if (s->ended && !s->held) break;
    if (s->held) {
        s->row = s->row != NULL ? s->row->next : s->ended ? NULL : s->first;
        s->ended = true; /* of what the server has: past the first one there is only the list */
        if (s->row != NULL) {
            s->seen++;
            q->status = DBM_OK;
        } else {
            s->held = false;
        }
        break;
    }
    if (s->text_rows != NULL) {
        dbm__mysql_text_row(s);
        if (!s->ended) q->status = DBM_OK;
        break;
    }
    DBM__MYSQL_DO(dbm__mysql_next_row(q, s));
    q->status = q->rc == 0 ? DBM_OK : DBM_DONE;
    if (q->rc != 0 && op->prepared != NULL && op->prepared->writes && s->calls) {
        uint64_t affected = mysql_affected_rows(q->my);
        op->affected = affected == UINT64_MAX ? 0 : (int64_t)affected;
    }
    DBM__MYSQL_OVER;
}

#if DBM__MYSQL_MARIADB
/* FETCH and FINISH that need no word from the server. */
static dbm_status dbm__mysql_at_hand(dbm_connection *c, dbm_op *op) {
    dbm__mysql *q = (dbm__mysql *)dbm_adapter_data(c);
    dbm__mysql_statement *s = (dbm__mysql_statement *)op->result;
    if (DBM__UNLIKELY(q == NULL || q->broken || q->wait != 0)) return DBM_E_UNSUPPORTED;
    if (DBM__LIKELY(s->open && op->kind == DBM_OP_FETCH)) { /* one row after the other from the server */
        if (dbm__mysql_ahead(q) != DBM__MYSQL_ROW) return dbm__mysql_end_at_hand(q, s) ? DBM_DONE : DBM_E_UNSUPPORTED;
#if DBM__MYSQL_AHEAD
        if (DBM__LIKELY(dbm__mysql_take(q, s))) {
            s->seen++;
            return DBM_OK;
        }
#endif
        dbm__mysql_fetch(q, s);
        return DBM__LIKELY(q->rc == 0) ? DBM_OK : q->status;
    }
    if (s->open || s->held || s->text_rows != NULL || s->spoiled) return DBM_E_UNSUPPORTED;
    if (op->kind == DBM_OP_FINISH) return s->aside.chunks != NULL || s->large ? DBM_E_UNSUPPORTED : DBM_OK;
    return s->ended ? DBM_DONE : DBM_E_UNSUPPORTED;
}
#endif

static int dbm__mysql_op_finish(dbm__mysql *q, dbm_op *op) {
    dbm__mysql_statement *s = (dbm__mysql_statement *)op->result;
    int i;
    DBM__MYSQL_FLOW(q->phase)
    if (s == NULL) break;
    if (s->open && !q->broken) {
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_leave(q, s));
    }
    dbm__mysql_result_over(q, s);
    dbm__mysql_text_free(s);
    if (s->aside.chunks != NULL) dbm__mysql_drop(q, s);
    for (i = 0; DBM__UNLIKELY(s->large) && i < 2 * s->columns; i++) {
        dbm__mysql_cell *cell = &s->cells[i];
        if (cell->capacity <= DBM__MYSQL_CELL_KEPT) continue;
        dbm_adapter_free(q->owner, cell->text);
        cell->text = NULL;
        cell->capacity = 0;
        s->rebind = true;
        s->roomy[i >= s->columns] = false;
    }
    s->large = false;
    s->held = false;
    s->ended = true;
    op->result = NULL;
    DBM__MYSQL_OVER;
}

/* ---- rows in bulk -------------------------------------------------------------------------------------------------------------- */

enum { DBM__MYSQL_BULK_COLUMNS = 64, DBM__MYSQL_BULK_CELLS = 32768, DBM__MYSQL_BULK_ROWS = 4096, DBM__MYSQL_BULK_BYTES = 1048576 }; /* at most, at a time */

/* From BULK to BULK_END. Rows are gathered in arrays, a column each, and sent as those (MariaDB's way: one message, a row is some bytes of it), or by an INSERT
 * of many rows. A row that does not fit to those before it, by its types or its size, waits until they have been sent. */
typedef struct dbm__mysql_bulk {
    bool arrays;
    bool waiting;            /* a row does: */
    int columns;
    size_t most, rows;       /* that fit; that are there */
    size_t bytes, limit;     /* of those; of a row */
    int64_t affected;
    char *data;              /* of each column one after the other: `most` times 8 bytes, a number or a pointer, */
    unsigned long *sizes;    /* `most` sizes of texts, */
    char *marks;             /* and `most` marks of what is NULL */
    bool marked[DBM__MYSQL_BULK_COLUMNS]; /* one of them is set */
    MYSQL_BIND binds[DBM__MYSQL_BULK_COLUMNS]; /* the types; the buffer of integers that are sent from where the caller has them */
    dbm_value waits[DBM__MYSQL_BULK_COLUMNS];
    dbm__mysql_statement many; /* the INSERT of many rows; its chunks keep the texts of the rows, */
    dbm__aside next;           /* and these those of the one that waits */
    dbm_prepared many_rows;
    char *sql;
} dbm__mysql_bulk;

static void dbm__mysql_bulk_swap(dbm__mysql_bulk *b) {
    dbm__aside next = b->next;
    b->next = b->many.aside;
    b->many.aside = next;
}

static void dbm__mysql_bulk_free(dbm__mysql *q) {
    dbm__mysql_bulk *b = q->bulk;
    q->bulk = NULL;
    if (b == NULL) return;
    dbm__mysql_drop(q, &b->many);
    dbm__mysql_bulk_swap(b);
    dbm__mysql_drop(q, &b->many);
    if (b->many.stmt != NULL) mysql_stmt_close(b->many.stmt); /* its connection is gone */
    dbm_adapter_free(q->owner, b->many.values);
    dbm_adapter_free(q->owner, b->sql);
    dbm_adapter_free(q->owner, b);
}

/* NULL: reported. */
static dbm__mysql_bulk *dbm__mysql_bulk_new(dbm__mysql *q, size_t columns, bool arrays) {
    size_t limit = q->packet > 160 ? (size_t)q->packet - 128 : 32, most = (size_t)(arrays ? DBM__MYSQL_BULK_CELLS : 8192) / columns, cells;
    size_t of_text = limit / 2 / (3 * columns + 2);
    dbm__mysql_bulk *b;
    if (most > (size_t)DBM__MYSQL_BULK_ROWS) most = (size_t)DBM__MYSQL_BULK_ROWS;
    if (!arrays && most > of_text) most = of_text != 0 ? of_text : 1; /* the INSERT is a message too */
    cells = columns * most;
    b = (dbm__mysql_bulk *)dbm_adapter_alloc(q->owner, sizeof *b + cells * (8 + sizeof(unsigned long) + 1));
    if (b == NULL) {
        dbm__mysql_no_memory(q);
        return NULL;
    }
    memset(b, 0, sizeof *b);
    b->arrays = arrays;
    b->columns = (int)columns;
    b->most = most;
    b->limit = limit;
    b->data = (char *)(b + 1);
    b->sizes = (unsigned long *)(void *)(b->data + 8 * cells);
    b->marks = (char *)(b->sizes + cells);
    b->many.last = &b->many.first;
    b->many.inserts = b->many.changes = true;
    return b;
}

/* Whether the server takes arrays. */
static bool dbm__mysql_takes_arrays(dbm__mysql *q) {
#if DBM__MYSQL_MARIADB
    unsigned long low = 0, high = 0;
    return mariadb_get_infov(q->my, MARIADB_CONNECTION_SERVER_CAPABILITIES, &low) == 0 &&
           mariadb_get_infov(q->my, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &high) == 0 && !(low & CLIENT_MYSQL) && (high & (unsigned long)(MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) != 0;
#else
    (void)q;
    return false;
#endif
}

static int dbm__mysql_op_bulk(dbm__mysql *q, dbm_op *op) {
    dbm__mysql_statement *s = (dbm__mysql_statement *)op->prepared->data;
    DBM__MYSQL_FLOW(q->phase)
    if (op->bulk->each_row || s == NULL) {
        q->status = DBM_E_UNSUPPORTED;
        break;
    }
    if (dbm__mysql_is_undone(q)) break;
    DBM__MYSQL_DO(dbm__mysql_ready(q, op->row_buffer));
    if (q->packet == 0) {
        DBM__MYSQL_DO(dbm__mysql_ask_limit(q));
    }
    if (s->generation != q->generation) {
        DBM__MYSQL_DO(dbm__mysql_renew(q, s, op->prepared));
    }
    op->bulk->data = q->bulk = dbm__mysql_bulk_new(q, (size_t)op->bulk->column_count, dbm__mysql_takes_arrays(q));
    DBM__MYSQL_OVER;
}

static void dbm__mysql_bulk_clean(dbm__mysql_bulk *b) {
    int i;
    memset(b->binds, 0, (size_t)b->columns * sizeof *b->binds);
    memset(b->marked, 0, sizeof b->marked);
    for (i = 0; i < b->columns; i++) b->binds[i].buffer_type = MYSQL_TYPE_NULL;
}

static bool dbm__mysql_of_8(const MYSQL_BIND *b) { return b->buffer_type == MYSQL_TYPE_LONGLONG || b->buffer_type == MYSQL_TYPE_DOUBLE; }

/* Puts row r into the arrays; `keep`: its texts too. DBM_DONE: it does not fit to those before it. */
static dbm_status dbm__mysql_bulk_put(dbm__mysql *q, dbm_op *op, size_t r, const dbm_value *values, bool keep) {
    dbm__mysql_bulk *b = q->bulk;
    size_t bytes = 0;
    bool fits = true;
    dbm_status status;
    int i;
    for (i = 0; i < b->columns; i++) {
        const dbm_value *v = &values[i];
        MYSQL_BIND *bind = &b->binds[i], value;
        MYSQL_TIME *time = NULL;
        size_t at = (size_t)i * b->most + r;
        bytes += v->type >= DBM_TYPE_TEXT && v->type != DBM_TYPE_TIMESTAMP ? v->as.text.size + 10 : 14; /* in the message, at most */
        if (bind->buffer != NULL) continue;
        b->marks[at] = v->type == DBM_TYPE_NULL; /* STMT_INDICATOR_NULL */
        if (v->type == DBM_TYPE_NULL) {
            b->marked[i] = true;
            b->sizes[at] = 0;
            continue;
        }
        if (v->type == DBM_TYPE_TIMESTAMP && (time = (MYSQL_TIME *)dbm__aside_room(q->owner, &b->many.aside, &q->spare, sizeof *time, SIZE_MAX, &status)) == NULL) {
            return dbm__mysql_no_memory(q);
        }
        if (DBM__UNLIKELY(!dbm__mysql_bind_value(q, v, time, i + 1, &value))) {
            op->bulk->failed_column = i;
            return q->status;
        }
        if (bind->buffer_type == MYSQL_TYPE_NULL) { /* the first one */
            bind->buffer_type = value.buffer_type;
            bind->is_unsigned = value.is_unsigned;
        }
        fits = fits && bind->buffer_type == value.buffer_type && bind->is_unsigned == value.is_unsigned;
        if (dbm__mysql_of_8(&value)) {
            memcpy(b->data + 8 * at, value.buffer, 8);
            continue;
        }
        if (keep && time == NULL && value.buffer_length != 0) {
            char *text = (char *)dbm__aside_room(q->owner, &b->many.aside, &q->spare, value.buffer_length, SIZE_MAX, &status);
            if (text == NULL) return dbm__mysql_no_memory(q);
            value.buffer = memcpy(text, value.buffer, value.buffer_length);
        }
        ((void **)(void *)(b->data + 8 * (size_t)i * b->most))[r] = value.buffer;
        b->sizes[at] = value.buffer_length;
    }
    if (DBM__UNLIKELY(bytes > b->limit)) {
        return DBM__MYSQL_SAY(q, DBM_E_LIMIT, "54000", 0, "the row has %z bytes, and with what goes around it that is more than max_allowed_packet, %u: raise it "
                              "at the server (SET GLOBAL max_allowed_packet, for connections made from then on), or leave the row out", bytes, q->packet);
    }
    if (!fits || (r != 0 && (b->bytes + bytes > b->limit || b->bytes + bytes > (size_t)DBM__MYSQL_BULK_BYTES))) return DBM_DONE;
    b->bytes += bytes;
    return DBM_OK;
}

static dbm_status dbm__mysql_bulk_row(dbm_connection *c, dbm_op *op, const dbm_value *values) {
    dbm__mysql *q = (dbm__mysql *)dbm_adapter_data(c);
    dbm__mysql_bulk *b = q->bulk;
    dbm_status status;
    int i;
    if (b->rows == 0) dbm__mysql_bulk_clean(b);
    status = dbm__mysql_bulk_put(q, op, b->rows, values, true);
    if (DBM__LIKELY(status == DBM_OK)) return ++b->rows == b->most ? DBM_DONE : DBM_OK;
    if (status != DBM_DONE) return status;
    dbm__mysql_bulk_swap(b);
    for (i = 0; i < b->columns && status == DBM_DONE; i++) {
        char *text;
        b->waits[i] = values[i];
        if (values[i].type < DBM_TYPE_TEXT || values[i].type == DBM_TYPE_TIMESTAMP || values[i].as.text.size == 0) continue;
        text = (char *)dbm__aside_room(q->owner, &b->many.aside, &q->spare, values[i].as.text.size, SIZE_MAX, &status);
        if (text == NULL) dbm__mysql_no_memory(q);
        else b->waits[i].as.text.data = (const char *)memcpy(text, values[i].as.text.data, values[i].as.text.size);
    }
    dbm__mysql_bulk_swap(b);
    b->waiting = status == DBM_DONE;
    return status;
}

/* An INSERT of so many rows. False: reported. */
static bool dbm__mysql_bulk_text(dbm__mysql *q, dbm__mysql_bulk *b, const dbm_bulk_plan *plan, size_t rows) {
    size_t tuple = 3 * (size_t)b->columns, size = plan->sql_size + (rows - 1) * (tuple + 2), i; /* "(?, ?)" */
    char *at = (char *)dbm_adapter_resize(q->owner, b->sql, size + 1);
    if (at == NULL) {
        dbm__mysql_no_memory(q);
        return false;
    }
    b->sql = at;
    memcpy(at, plan->sql, plan->sql_size);
    at += plan->sql_size;
    for (i = 1; i < rows; i++, at += tuple + 2) {
        memcpy(at, ", ", 2);
        memcpy(at + 2, plan->sql + plan->sql_size - tuple, tuple);
    }
    *at = '\0';
    memset(&b->many_rows, 0, sizeof b->many_rows);
    b->many_rows.sql = b->sql;
    b->many_rows.sql_size = size;
    b->many_rows.parameters = (int)rows * b->columns;
    return true;
}

/* Tells the library of the rows. False: reported. */
static bool dbm__mysql_bulk_bind(dbm__mysql *q, dbm__mysql_bulk *b, MYSQL_STMT *stmt) {
    MYSQL_BIND *binds = b->binds;
    size_t r;
    int i;
    if (b->arrays) {
#if DBM__MYSQL_MARIADB
        unsigned rows = (unsigned)b->rows;
        (void)mysql_stmt_attr_set(stmt, STMT_ATTR_ARRAY_SIZE, &rows);
        for (i = 0; i < b->columns; i++) {
            if (binds[i].buffer == NULL) binds[i].buffer = b->data + 8 * (size_t)i * b->most;
            if (binds[i].buffer_type == MYSQL_TYPE_NULL) binds[i].buffer_type = MYSQL_TYPE_STRING; /* all are marked */
            binds[i].length = b->sizes + (size_t)i * b->most;
            binds[i].u.indicator = b->marked[i] ? b->marks + (size_t)i * b->most : NULL;
        }
#endif
    } else {
        binds = b->many.values;
        for (r = 0; r < b->rows; r++) {
            for (i = 0; i < b->columns; i++, binds++) {
                size_t at = (size_t)i * b->most + r;
                *binds = b->binds[i];
                if (b->marks[at]) binds->buffer_type = MYSQL_TYPE_NULL;
                binds->buffer = dbm__mysql_of_8(binds) ? b->data + 8 * at : ((void **)(void *)(b->data + 8 * (size_t)i * b->most))[r];
                binds->buffer_length = b->sizes[at];
            }
        }
        binds = b->many.values;
    }
    if (mysql_stmt_bind_param(stmt, binds) == 0) return true;
    dbm__mysql_fail(q, stmt);
    return false;
}

/* After a message: its statement serves single rows again. */
static void dbm__mysql_bulk_unbind(dbm__mysql_statement *s) {
    s->bound = false;
#if DBM__MYSQL_MARIADB
    {
        unsigned none = 0;
        (void)mysql_stmt_attr_set(s->stmt, STMT_ATTR_ARRAY_SIZE, &none);
    }
#endif
}

/* Sends what was gathered; then the row that waited for that is gathered. A failure is reported. */
static int dbm__mysql_bulk_send(dbm__mysql *q, dbm_op *op) {
    dbm__mysql_bulk *b = q->bulk;
    dbm__mysql_statement *s = b->arrays ? (dbm__mysql_statement *)op->prepared->data : &b->many;
    uint64_t affected;
    DBM__MYSQL_FLOW(q->pre)
    if (b->rows == 0 || dbm__mysql_is_undone(q)) break;
#if !DBM__MYSQL_MARIADB
    DBM__MYSQL_DO(dbm__mysql_limit(q, op->deadline_us));
#endif
    if (!b->arrays && s->stmt != NULL && b->many_rows.parameters != (int)b->rows * b->columns) {
        dbm_adapter_free(q->owner, s->values);
        s->values = NULL;
        DBM__MYSQL_CLOSE(s);
    }
    if (s->stmt == NULL) {
        if (!dbm__mysql_bulk_text(q, b, op->bulk, b->rows)) break;
        DBM__MYSQL_DO(dbm__mysql_prepare(q, s, &b->many_rows));
    }
    if (!dbm__mysql_bulk_bind(q, b, s->stmt)) {
        dbm__mysql_bulk_unbind(s);
        break;
    }
    q->stmt = s->stmt;
    q->was_open = q->open;
    DBM__MYSQL_AWAIT(DBM__MYSQL_EXECUTE);
    dbm__mysql_bulk_unbind(s);
    if (q->rc != 0) {
        dbm__mysql_note_error(q, s->stmt);
        /* Since 10.7 MariaDB's server can tell which row of the message it was. */
        if (q->mariadb && q->error.native < DBM__MYSQL_CLIENT_FIRST && q->error.native != DBM__MYSQL_DEADLOCK) {
            DBM__MYSQL_AWAIT(dbm__mysql_query(q, "GET DIAGNOSTICS CONDITION 1 @dbm_row=ROW_NUMBER"));
            if (q->rc == 0) DBM__MYSQL_AWAIT_ALL(dbm__mysql_ask(q, "SELECT @dbm_row"));
            if (q->rc == 0 && q->number > 0 && (uint64_t)q->number <= b->rows) {
                op->bulk->failed_row = op->bulk->rows - b->waiting - (int64_t)b->rows + q->number - 1;
            }
        }
        dbm__mysql_report(q);
        break;
    }
    dbm__mysql_note_status(q);
    q->wrote = true;
    affected = mysql_stmt_affected_rows(s->stmt);
    b->affected += affected == UINT64_MAX ? 0 : (int64_t)affected;
    dbm__mysql_drop(q, &b->many);
    b->rows = b->bytes = 0;
    if (b->waiting) {
        b->waiting = false;
        dbm__mysql_bulk_swap(b);
        dbm__mysql_bulk_clean(b);
        if (dbm__mysql_bulk_put(q, op, 0, b->waits, false) != DBM_OK) break;
        b->rows = 1;
    }
    DBM__MYSQL_OVER;
}

static int dbm__mysql_op_bulk_send(dbm__mysql *q, dbm_op *op) {
    bool end = op->kind == DBM_OP_BULK_END;
    DBM__MYSQL_FLOW(q->phase)
    if (q->bulk == NULL) break;
    if (!end || !op->bulk->abandon) {
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_bulk_send(q, op));
    }
    if (!end) break;
    op->affected = q->bulk->affected;
    if (q->bulk->many.stmt != NULL) {
        DBM__MYSQL_CLOSE(&q->bulk->many);
    }
    dbm__mysql_bulk_free(q);
    op->bulk->data = NULL;
    DBM__MYSQL_OVER;
}

/* Arrays. Many rows are sent at once and from where they are: integers without NULLs for nothing, of the rest each value is looked at. Fewer are gathered,
 * since each message costs a round trip. */
static dbm_status dbm__mysql_bulk_columns(dbm_connection *c, dbm_op *op, const dbm_column *columns, size_t first, size_t count, size_t *taken) {
    dbm__mysql *q = (dbm__mysql *)dbm_adapter_data(c);
    dbm__mysql_bulk *b = q->bulk;
    bool in_place = b->arrays && b->rows == 0 && count >= b->most / 4;
    dbm_value values[DBM__MYSQL_BULK_COLUMNS];
    dbm_status status = DBM_OK;
    size_t r;
    int i;
    memset(values, 0, sizeof values); /* dbm_null() */
    if (b->rows == 0) dbm__mysql_bulk_clean(b);
    if (in_place && count > b->most) count = b->most;
    for (i = 0; i < b->columns; i++) {
        const dbm_column *column = &columns[i];
        MYSQL_BIND *bind = &b->binds[i];
        if (!in_place || (column->kind != DBM__TO_INT && column->kind != DBM__TO_UINT) || column->type != DBM_TYPE_NULL || column->nulls != NULL ||
            (column->stride != 0 && column->stride != column->size)) continue;
        bind->buffer_type = column->size == 8 ? MYSQL_TYPE_LONGLONG : column->size == 4 ? MYSQL_TYPE_LONG : column->size == 2 ? MYSQL_TYPE_SHORT : MYSQL_TYPE_TINY;
        bind->is_unsigned = column->kind == DBM__TO_UINT;
        bind->buffer = (char *)(uintptr_t)column->data + first * column->size;
    }
    for (r = 0; r < count && status == DBM_OK; r++) {
        for (i = 0; i < b->columns; i++) {
            if (b->binds[i].buffer != NULL || (status = dbm_adapter_element(&columns[i], first + r, &values[i])) == DBM_OK) continue;
            op->bulk->failed_column = i;
            DBM__MYSQL_SAY(q, status, NULL, 0, "%s", dbm__element_wrong(columns[i].kind));
            goto stop;
        }
        /* Behind rows that are there already, or for an INSERT, as any other row. */
        status = in_place ? dbm__mysql_bulk_put(q, op, r, values, false) : dbm__mysql_bulk_row(c, op, values);
        if (in_place ? status != DBM_OK : status != DBM_OK && status != DBM_DONE) goto stop;
    }
stop:
    *taken = r;
    if (r == 0 || !in_place) return status;
    op->bulk->failed_column = -1; /* what was wrong with the next row is found once more, when those before it are sent */
    b->rows = r;
    return DBM_DONE;
}

/* ---- transactions -------------------------------------------------------------------------------------------------------------- */

static void dbm__mysql_unit_over(dbm__mysql *q) {
    q->unit = q->failed = q->wrote = q->undone = false;
    dbm__mysql_note_status(q);
}

static const char *dbm__mysql_level(dbm_isolation isolation) {
    static const char *const levels[] = { NULL, "READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE" };
    return (unsigned)isolation < sizeof levels / sizeof levels[0] ? levels[isolation] : NULL;
}

/* With autocommit off the first statement begins. Only what a transaction must be told beforehand takes a round trip. */
static int dbm__mysql_op_begin(dbm__mysql *q, dbm_op *op) {
    const char *level = op->isolation != q->isolation ? dbm__mysql_level(op->isolation) : NULL;
    DBM__MYSQL_FLOW(q->phase)
    q->unit = true;
    q->failed = q->wrote = q->undone = false;
    if (level == NULL && !op->read_only) break;
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_mode(q));
    if (!q->refused) {
        dbm__format(q->text, sizeof q->text, "SET TRANSACTION %s%s%s%s", level != NULL ? "ISOLATION LEVEL " : "", level != NULL ? level : "",
                    level != NULL && op->read_only ? ", " : "", op->read_only ? "READ ONLY" : "");
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_own(q, q->text));
    }
    if (q->refused) q->unit = false;
    DBM__MYSQL_OVER;
}

/* The flag of the last reply is to be believed only when every reply was a success: after an error the server may hold locks although it says
 * that there is no transaction. */
static int dbm__mysql_op_end(dbm__mysql *q, dbm_op *op) {
    bool commit = op->kind == DBM_OP_COMMIT;
    DBM__MYSQL_FLOW(q->phase)
    if (commit && dbm__mysql_is_undone(q)) break;
    if (q->active != NULL) {
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_leave(q, q->active));
    }
    if (!q->failed && !q->open) {
        dbm__mysql_unit_over(q);
        break;
    }
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_own(q, commit ? "COMMIT" : "ROLLBACK"));
    if (!q->refused) dbm__mysql_unit_over(q);
    DBM__MYSQL_OVER;
}

static int dbm__mysql_op_savepoint(dbm__mysql *q, dbm_op *op) {
    DBM__MYSQL_FLOW(q->phase)
    if (dbm__mysql_is_undone(q)) break;
    DBM__MYSQL_DO(dbm__mysql_ready(q, dbm_adapter_config(q->owner)->row_buffer));
    dbm__format(q->text, sizeof q->text, "%s dbm_%d", op->kind == DBM_OP_SAVEPOINT ? "SAVEPOINT" : op->kind == DBM_OP_RELEASE ? "RELEASE SAVEPOINT"
                : "ROLLBACK TO SAVEPOINT", op->savepoint);
    DBM__MYSQL_AWAIT(dbm__mysql_query(q, q->text));
    if (q->rc != 0) {
        dbm__mysql_note_error(q, NULL);
        if (op->kind == DBM_OP_RELEASE && q->error.native == DBM__MYSQL_NO_SAVEPOINT) break; /* an implicit commit has done it */
        dbm__mysql_report(q);
    }
    q->failed = true; /* a savepoint keeps things alive without a transaction, as the server's flag has it */
    if (q->refused || op->kind != DBM_OP_ROLLBACK_TO) break;
    dbm__format(q->text, sizeof q->text, "RELEASE SAVEPOINT dbm_%d", op->savepoint);
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_own(q, q->text));
    DBM__MYSQL_OVER;
}

static int dbm__mysql_op_native(dbm__mysql *q, dbm_op *op) {
    DBM__MYSQL_FLOW(q->phase)
    DBM__MYSQL_DO(dbm__mysql_ready(q, dbm_adapter_config(q->owner)->row_buffer));
    q->failed = true; /* from here on the flag alone says nothing */
    op->native = q->my;
    DBM__MYSQL_OVER;
}

static int dbm__mysql_op_ping(dbm__mysql *q) {
    DBM__MYSQL_FLOW(q->phase)
    DBM__MYSQL_AWAIT(DBM__MYSQL_PING);
    if (q->rc != 0) dbm__mysql_fail(q, NULL);
    DBM__MYSQL_OVER;
}

/* Modes of sql_mode under which quotes and backslashes mean something else than our lexer takes them for. */
static const char *const dbm__mysql_modes[] = { "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI", "ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB" };

/* What every session of the server begins with, in one statement. Those modes are taken out of the server's; the rest of it stays. */
static void dbm__mysql_set_up_text(dbm__mysql *q) {
    const dbm_config *config = dbm_adapter_config(q->owner);
    dbm__text t = dbm__text_in(q->text, sizeof q->text);
    const char *level = dbm__mysql_level(config->isolation);
    size_t i, count = sizeof dbm__mysql_modes / sizeof dbm__mysql_modes[0];
    dbm__putf(&t, "SET NAMES utf8mb4, autocommit=%d, time_zone='+00:00', sql_mode=", q->base->autocommit);
    if (q->base->sql_mode != NULL) {
        dbm__putf(&t, "'%s'", q->base->sql_mode);
    } else {
        for (i = 0; i < count; i++) dbm__put(&t, "REPLACE(");
        dbm__put(&t, "CONCAT(',',@@sql_mode,',')");
        for (i = 0; i < count; i++) dbm__putf(&t, ",',%s,',',')", dbm__mysql_modes[i]);
    }
    if (level != NULL) {
        char name[24];
        for (i = 0; level[i] != '\0'; i++) name[i] = level[i] == ' ' ? '-' : level[i];
        name[i] = '\0';
        dbm__putf(&t, ", %s='%s'", q->mariadb ? "tx_isolation" : "transaction_isolation", name);
    }
    /* A second later than our own deadline: only for when nobody is there any more to ask for the end. Where calls block it is the deadline. */
    if (config->statement_timeout_ms > 0) {
        int64_t ms = (int64_t)config->statement_timeout_ms + (DBM__MYSQL_MARIADB ? 1000 : 0);
        if (q->mariadb) dbm__putf(&t, ", max_statement_time=%l/1000e0", DBM__MYSQL_MARIADB ? (ms + 999) / 1000 * 1000 : ms);
        else dbm__putf(&t, ", max_execution_time=%l", ms);
    }
    DBM_ASSERT(!t.cut);
}

static int dbm__mysql_set_up(dbm__mysql *q) {
    int call;
    if (q->sub == 0) dbm__mysql_set_up_text(q);
    call = dbm__mysql_own(q, q->text);
    if (call != DBM__MYSQL_DONE || q->refused) return call;
    q->autocommit = q->base->autocommit;
    q->isolation = dbm_adapter_config(q->owner)->isolation;
#if !DBM__MYSQL_MARIADB
    q->limit_ms = dbm__mysql_usual_limit(q);
#endif
    q->unit = q->failed = q->wrote = q->undone = false;
    dbm__mysql_note_status(q);
    return DBM__MYSQL_DONE;
}

/* As it was when it was new: what init_sql did is done again. */
static int dbm__mysql_op_reset(dbm__mysql *q) {
    const char *sql = dbm_adapter_config(q->owner)->init_sql;
    size_t next;
    DBM__MYSQL_FLOW(q->phase)
    if (q->active != NULL) {
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_leave(q, q->active));
    }
    DBM__MYSQL_AWAIT(DBM__MYSQL_RESET_ALL);
    if (q->rc != 0) {
        dbm__mysql_fail(q, NULL);
        break;
    }
    q->generation++; /* the server has forgotten its prepared statements */
    DBM__MYSQL_DO(dbm__mysql_set_up(q));
    for (q->total = 0; sql != NULL && sql[q->total] != '\0'; ) { /* where in init_sql */
        q->sql = sql + q->total;
        q->sql_size = dbm__sql_statement_end(q->sql, strlen(q->sql), DBM__MYSQL_LEXER, &next);
        q->total += next;
        if (q->sql_size == 0) continue;
        DBM__MYSQL_AWAIT_ALL(dbm__mysql_text(q));
        if (q->rc != 0) {
            dbm__mysql_report(q);
            break;
        }
        if (q->first != NULL) mysql_free_result(q->first);
    }
    dbm__mysql_note_status(q);
    q->failed = q->open;
    DBM__MYSQL_OVER;
}

/* ---- connections --------------------------------------------------------------------------------------------------------------- */

enum { DBM__MYSQL_ARG_FLAG, DBM__MYSQL_ARG_NUMBER, DBM__MYSQL_ARG_TEXT };
typedef struct dbm__mysql_arg { const char *name; int option, kind; } dbm__mysql_arg;
/* What connect_args.x and parameters of the URL may set in the library. */
static const dbm__mysql_arg dbm__mysql_args[] = {
    { "compress", MYSQL_OPT_COMPRESS, DBM__MYSQL_ARG_FLAG },
    { "bind_address", MYSQL_OPT_BIND, DBM__MYSQL_ARG_TEXT },
    { "default_auth", MYSQL_DEFAULT_AUTH, DBM__MYSQL_ARG_TEXT },
    { "plugin_dir", MYSQL_PLUGIN_DIR, DBM__MYSQL_ARG_TEXT },
    { "read_default_file", MYSQL_READ_DEFAULT_FILE, DBM__MYSQL_ARG_TEXT },
    { "read_default_group", MYSQL_READ_DEFAULT_GROUP, DBM__MYSQL_ARG_TEXT },
    { "max_allowed_packet", MYSQL_OPT_MAX_ALLOWED_PACKET, DBM__MYSQL_ARG_NUMBER },
    { "net_buffer_length", MYSQL_OPT_NET_BUFFER_LENGTH, DBM__MYSQL_ARG_NUMBER },
    { "ssl_capath", MYSQL_OPT_SSL_CAPATH, DBM__MYSQL_ARG_TEXT },
    { "ssl_cipher", MYSQL_OPT_SSL_CIPHER, DBM__MYSQL_ARG_TEXT },
    { "ssl_crl", MYSQL_OPT_SSL_CRL, DBM__MYSQL_ARG_TEXT },
    { "ssl_crlpath", MYSQL_OPT_SSL_CRLPATH, DBM__MYSQL_ARG_TEXT },
    { "tls_version", MYSQL_OPT_TLS_VERSION, DBM__MYSQL_ARG_TEXT },
#if DBM__MYSQL_MARIADB
    { "tls_passphrase", MARIADB_OPT_TLS_PASSPHRASE, DBM__MYSQL_ARG_TEXT },
    { "tls_peer_fp", MARIADB_OPT_TLS_PEER_FP, DBM__MYSQL_ARG_TEXT },
#else
    { "server_public_key", MYSQL_SERVER_PUBLIC_KEY, DBM__MYSQL_ARG_TEXT },
    { "get_server_public_key", MYSQL_OPT_GET_SERVER_PUBLIC_KEY, DBM__MYSQL_ARG_FLAG },
#endif
};
#define DBM__MYSQL_ARGS (sizeof dbm__mysql_args / sizeof dbm__mysql_args[0])
/* Those that dbm.h itself looks at. */
static const char *const dbm__mysql_own_args[] = { "charset", "program_name", "socket", "unix_socket", "sql_mode", "ssl-mode", "ssl_mode", "sslmode" };
#define DBM__MYSQL_OWN_ARGS (sizeof dbm__mysql_own_args / sizeof dbm__mysql_own_args[0])

/* Sets an option; what the library answers is of no use: it takes everything and complains when it connects. */
static void dbm__mysql_option(MYSQL *my, int option, const void *value) { (void)mysql_options(my, (enum mysql_option)option, (const char *)value); }

static void dbm__mysql_options(dbm__mysql *q, MYSQL *my, int64_t left_us) {
    const dbm_config *config = dbm_adapter_config(q->owner);
    unsigned seconds = (unsigned)(left_us >= INT64_C(3600000000) ? 3600 : left_us <= 0 ? 1 : (left_us + 999999) / 1000000);
    unsigned off = 0, protocol = q->base->hosts[q->host].name == NULL ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    unsigned long number = 1073741824ul;
    dbm__mysql_bool yes = 1, no = 0;
    const char *program = dbm_adapter_option(q->owner, "program_name");
    size_t i;
#if DBM__MYSQL_MARIADB
    dbm__mysql_option(my, MYSQL_OPT_NONBLOCK, NULL);
    dbm__mysql_option(my, MYSQL_OPT_RECONNECT, &no);
#else
    /* A server that is silent is noticed by the library, in whole seconds; without socket_timeout a second after it should have ended the statement. */
    {
        int64_t ms = config->socket_timeout_ms > 0 ? config->socket_timeout_ms : config->statement_timeout_ms > 0 ? (int64_t)config->statement_timeout_ms + 1000 : 0;
        unsigned limit = my != q->my ? 1 : (unsigned)((ms + 999) / 1000); /* of a cancel: one */
        if (my == q->my) q->silence_s = limit;
        if (limit != 0) {
            dbm__mysql_option(my, MYSQL_OPT_READ_TIMEOUT, &limit);
            dbm__mysql_option(my, MYSQL_OPT_WRITE_TIMEOUT, &limit);
        }
    }
#endif
    dbm__mysql_option(my, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    dbm__mysql_option(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    dbm__mysql_option(my, MYSQL_OPT_LOCAL_INFILE, &off);
    dbm__mysql_option(my, MYSQL_OPT_PROTOCOL, &protocol);
    dbm__mysql_option(my, MYSQL_REPORT_DATA_TRUNCATION, &yes);
    dbm__mysql_option(my, MYSQL_OPT_MAX_ALLOWED_PACKET, &number);
    if (program != NULL && program[0] != '\0') (void)mysql_options4(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", program);
    for (i = 0; i < DBM__MYSQL_ARGS; i++) {
        const dbm__mysql_arg *arg = &dbm__mysql_args[i];
        const char *value = dbm_adapter_option(q->owner, arg->name);
        size_t size = 0;
        bool on = false;
        if (value == NULL) continue;
        if (arg->kind == DBM__MYSQL_ARG_TEXT) dbm__mysql_option(my, arg->option, value);
        if (arg->kind == DBM__MYSQL_ARG_FLAG && dbm__parse_bool(value, &on) && on) dbm__mysql_option(my, arg->option, &yes);
        if (arg->kind == DBM__MYSQL_ARG_NUMBER && dbm__parse_size(value, &size)) {
            number = (unsigned long)size;
            dbm__mysql_option(my, arg->option, &number);
        }
    }
    if (q->base->tls > DBM_TLS_OFF) {
        if (config->tls_cert != NULL) dbm__mysql_option(my, MYSQL_OPT_SSL_CERT, config->tls_cert);
        if (config->tls_key != NULL) dbm__mysql_option(my, MYSQL_OPT_SSL_KEY, config->tls_key);
        if (config->tls_ca != NULL && q->base->tls != DBM_TLS_PREFER) dbm__mysql_option(my, MYSQL_OPT_SSL_CA, config->tls_ca);
    }
#if DBM__MYSQL_MARIADB
    /* ENFORCE asks for TLS and goes on without when the server has none: that is `prefer`, and the connect looks at what came of it. With a CA the
     * chain is always checked, and VERIFY_SERVER_CERT adds the name. */
    if (q->base->tls > DBM_TLS_OFF) dbm__mysql_option(my, MYSQL_OPT_SSL_ENFORCE, &yes);
    dbm__mysql_option(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, q->base->tls == DBM_TLS_VERIFY_FULL ? &yes : &no);
#else
    {
        static const unsigned char modes[] = { SSL_MODE_DISABLED, SSL_MODE_DISABLED, SSL_MODE_PREFERRED, SSL_MODE_REQUIRED, SSL_MODE_VERIFY_CA, SSL_MODE_VERIFY_IDENTITY };
        unsigned mode = q->base->tls == DBM_TLS_REQUIRE && config->tls_ca != NULL ? (unsigned)SSL_MODE_VERIFY_CA : modes[q->base->tls];
        dbm__mysql_option(my, MYSQL_OPT_SSL_MODE, &mode);
    }
    (void)no;
#endif
}

/* Puts a dead socket in the place of the connection's: from now on not a byte of ours reaches the server, whatever the library does, and what it
 * waits for fails at once. In the child of a fork the parent's connection stays as it is. */
static void dbm__mysql_sever(MYSQL *my) {
#if DBM__MYSQL_POSIX
    int fd = dbm__mysql_socket(my), dead[2];
    if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, dead) != 0) return;
    (void)close(dead[1]); /* writing is EPIPE: OpenSSL would try again for ever at a socket that was never connected */
    (void)dup2(dead[0], fd);
    (void)close(dead[0]);
#else
    (void)my;
#endif
}

static int dbm__mysql_kill(dbm__mysql *q);

/* Ends the library's side of a connection, whatever it was in the middle of. */
static void dbm__mysql_close_library(dbm__mysql *q, bool polite) {
    dbm__mysql_statement *s;
    dbm__hush quiet;
    int turns;
    if (q->my == NULL) return;
    if (!polite || q->wait != 0) {
        dbm__mysql_sever(q->my);
        for (turns = 0; q->wait != 0 && turns < 32; turns++) q->wait = dbm__mysql_call(q, q->call, MYSQL_WAIT_TIMEOUT); /* it unwinds */
    }
    if (q->kills && q->killer.my != NULL) {
        q->killer.until_us = INT64_MIN;
        (void)dbm__mysql_kill(q);
    }
    dbm__hush_begin(&quiet, q->tls || !DBM__MYSQL_MARIADB);
    mysql_close(q->my); /* statements that still exist belong to nobody from here on */
    dbm__hush_end(&quiet);
    q->my = NULL;
    dbm__mysql_bulk_free(q);
    while ((s = q->closing) != NULL) {
        q->closing = s->next;
        if (s->stmt != NULL) mysql_stmt_close(s->stmt);
        s->stmt = NULL;
        dbm__mysql_statement_free(q, s);
    }
}

static void dbm__mysql_disconnect(dbm_connection *c, dbm_disconnect how) {
    dbm__mysql *q = (dbm__mysql *)dbm_adapter_data(c);
    if (q == NULL) return;
    dbm__mysql_close_library(q, how == DBM_DISCONNECT_POLITE && !q->broken);
    dbm__wipe(q->password, strlen(q->password));
    dbm_adapter_free(q->owner, q->spare);
    dbm_adapter_free(q->owner, q);
    dbm_adapter_set_data(c, NULL);
}

static dbm_status dbm__mysql_alive(dbm_connection *c) {
    dbm__mysql *q = (dbm__mysql *)dbm_adapter_data(c);
    dbm_status status;
    if (q->broken || q->wait != 0) return DBM_E_LOST;
    status = dbm__net_peek(dbm__mysql_socket(q->my));
    if (status != DBM_E_LOST) return DBM_OK;
    q->broken = true;
    dbm_adapter_broken(c);
    return DBM_E_LOST;
}

/* The library's side of an attempt to connect to q->host. False: reported. */
static bool dbm__mysql_attempt(dbm__mysql *q, const dbm_op *op) {
    int64_t now = dbm_adapter_clock(q->owner), left;
    int to_go = q->base->host_count - q->host;
    left = (int64_t)dbm_adapter_config(q->owner)->connect_timeout_ms * 1000;
    if (op->deadline_us != INT64_MAX && op->deadline_us - now < left) left = op->deadline_us - now;
    if (to_go > 1) left /= to_go; /* a host that is silent leaves time for the next one */
    q->limit_us = now + left;
    q->my = mysql_init(NULL);
    if (q->my == NULL) {
        dbm__mysql_no_memory(q);
        return false;
    }
    dbm__mysql_options(q, q->my, left);
    return true;
}

static bool dbm__mysql_local(const char *name) {
    return name == NULL || dbm__same_word(name, "localhost") || strncmp(name, "127.", 4) == 0 || strcmp(name, "::1") == 0;
}

static int dbm__mysql_op_connect(dbm__mysql *q, dbm_op *op) {
    DBM__MYSQL_FLOW(q->phase)
    for (q->host = 0; ; q->host++) {
        if (!dbm__mysql_attempt(q, op)) break;
        q->made = NULL;
        DBM__MYSQL_AWAIT(DBM__MYSQL_CONNECT);
        if (q->made != NULL) break;
        dbm__mysql_note_error(q, NULL);
        {
            dbm_status status = dbm__mysql_status(q->error.native);
            bool next = q->host + 1 < q->base->host_count && (status == DBM_E_CONNECT || status == DBM_E_LOST);
            mysql_close(q->my);
            q->my = NULL;
            if (next) continue;
        }
        dbm__mysql_report(q);
        break;
    }
    if (q->refused) break;
    q->tls = mysql_get_ssl_cipher(q->my) != NULL;
    if (!q->tls && q->base->tls >= DBM_TLS_REQUIRE) {
        DBM__MYSQL_SAY(q, DBM_E_TLS, "08001", DBM__MYSQL_TLS_FAILED, "the server offers no TLS, and this database asks for it (tls)");
        break;
    }
    if (!q->tls && dbm_adapter_config(q->owner)->tls == DBM_TLS_DEFAULT && !dbm__mysql_local(q->base->hosts[q->host].name) &&
        (dbm_adapter_url(q->owner)->password[0] != 0 || dbm_adapter_config(q->owner)->credentials != NULL)) dbm_adapter_clear_text(q->c);
    q->mariadb = strstr(mysql_get_server_info(q->my), "MariaDB") != NULL || strstr(mysql_get_server_info(q->my), "mariadb") != NULL;
    q->id = mysql_thread_id(q->my);
    dbm__mysql_let_wait(q);
    if (q->base->hosts[q->host].name != NULL) {
        dbm__net_keep_alive(dbm__mysql_socket(q->my), dbm_adapter_config(q->owner)->tcp_keepalive_ms, dbm_adapter_config(q->owner)->tcp_user_timeout_ms);
    }
    DBM__MYSQL_AWAIT_ALL(dbm__mysql_set_up(q));
    DBM__MYSQL_OVER;
}

/* Makes what we keep of a connection. NULL: reported. */
static DBM__NOINLINE dbm__mysql *dbm__mysql_new(dbm_connection *c) {
    dbm_database *owner = dbm_adapter_database(c);
    dbm_credentials who;
    dbm__mysql *q;
    size_t user, password;
    if (dbm_adapter_credentials(c, &who) != DBM_OK) return NULL;
    user = who.user != NULL ? strlen(who.user) : 0;
    password = who.password != NULL ? strlen(who.password) : 0;
    q = (dbm__mysql *)dbm_adapter_alloc(owner, sizeof *q + user + password + 2);
    if (q == NULL) {
        dbm_adapter_fail(c, DBM_E_NOMEM, "HY001", 0, NULL);
        return NULL;
    }
    memset(q, 0, sizeof *q + user + password + 2);
    q->c = c;
    q->owner = owner;
    q->base = (dbm__mysql_base *)dbm_adapter_db_data(owner);
    q->connecting = true;
    q->user = (char *)(q + 1);
    q->password = q->user + user + 1;
    if (user != 0) memcpy(q->user, who.user, user);
    if (password != 0) memcpy(q->password, who.password, password);
    return q;
}

/* ---- cancel -------------------------------------------------------------------------------------------------------------------- */

/* The calls of the killer: begins one (ready is 0), or goes on with it. What it waits for; 0: it is through. */
static int dbm__mysql_kill_call(dbm__mysql *q, int ready) {
    dbm__mysql_killer *k = &q->killer;
    const dbm__mysql_host *host = &q->base->hosts[q->host];
    const char *socket_path = host->name == NULL ? q->base->socket : NULL;
    int wait;
#if DBM__MYSQL_MARIADB
    if (k->asked) return ready == 0 ? mysql_real_query_start(&k->rc, k->my, k->text, (unsigned long)strlen(k->text)) : mysql_real_query_cont(&k->rc, k->my, ready);
    wait = ready != 0 ? mysql_real_connect_cont(&k->made, k->my, ready)
                      : mysql_real_connect_start(&k->made, k->my, host->name, q->user, q->password, NULL, host->port, socket_path, DBM__MYSQL_FLAGS);
    if (q->tls && (wait != 0 || k->made != NULL)) dbm__mysql_tls_reads(k->my, wait != 0 ? DBM__MYSQL_KILL_US : 0);
#else /* what is no prepared statement has a form that does not block; it does not say what it waits for: mostly it is an answer */
    enum net_async_status st = NET_ASYNC_ERROR;
    if (ready == MYSQL_WAIT_TIMEOUT) return 0;
    if (k->asked) return mysql_real_query_nonblocking(k->my, k->text, (unsigned long)strlen(k->text)) == NET_ASYNC_NOT_READY ? MYSQL_WAIT_READ : 0;
    st = mysql_real_connect_nonblocking(k->my, host->name, q->user, q->password, NULL, host->port, socket_path, DBM__MYSQL_FLAGS);
    if (st == NET_ASYNC_COMPLETE) k->made = k->my;
    wait = st == NET_ASYNC_NOT_READY ? MYSQL_WAIT_READ : 0;
#endif
    return wait;
}

/* KILL QUERY, and its answer is waited for, within DBM__MYSQL_KILL_US. For any thread: reads what does not change after the connect, and reports nothing.
 * What it waits for; 0: it is through. */
static int dbm__mysql_kill(dbm__mysql *q) {
    dbm__mysql_killer *k = &q->killer;
    dbm__hush quiet;
    int turns;
    if (k->my == NULL) {
        memset(k, 0, sizeof *k);
        k->until_us = dbm_adapter_clock(q->owner) + DBM__MYSQL_KILL_US;
        dbm__format(k->text, sizeof k->text, "KILL QUERY %u", (uint64_t)q->id);
        k->my = mysql_init(NULL);
        if (k->my == NULL) return 0;
        dbm__mysql_options(q, k->my, 1000000);
    } else if (dbm_adapter_clock(q->owner) >= k->until_us) {
        if (!k->late) dbm__mysql_sever(k->my);
        k->late = true;
    } else if (DBM__MYSQL_MARIADB && dbm__net_wait(q->owner->host, dbm__mysql_socket(k->my), k->wait, INT64_MIN) == DBM_E_TIMEOUT) {
        return k->wait; /* it takes our word for it that there is something */
    }
    dbm__hush_begin(&quiet, q->tls || !DBM__MYSQL_MARIADB);
    for (turns = 0; turns < 64; turns++) {
        k->wait = dbm__mysql_kill_call(q, k->late ? MYSQL_WAIT_TIMEOUT : k->wait) & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
        if (k->wait != 0 ? !k->late : k->asked || k->late || k->made == NULL) break;
        k->asked = k->asked || k->wait == 0;
    }
    if (k->wait == 0 || k->late) {
        mysql_close(k->my);
        k->my = NULL;
        k->wait = 0;
    }
    dbm__hush_end(&quiet);
    return k->wait;
}

/* When a kill is to be looked at again. */
static int64_t dbm__mysql_kill_until(dbm__mysql *q) {
#if !DBM__MYSQL_MARIADB
    int64_t soon = dbm_adapter_clock(q->owner) + 2000;
    if (soon < q->killer.until_us) return soon;
#endif
    return q->killer.until_us;
}

/* Has the operation stop what the server does for it; steps go on with that. False: somebody else does it just now. */
static bool dbm__mysql_stop(dbm__mysql *q) {
    dbm__word from = DBM__MYSQL_ACTIVE;
    if (!dbm__cas(&q->state, &from, DBM__MYSQL_KILLING) && (from != DBM__MYSQL_IDLE || !dbm__cas(&q->state, &from, DBM__MYSQL_KILLING))) return false;
    q->killed_from = from;
    q->kills = true;
    return true;
}

static void dbm__mysql_cancel(dbm_connection *c) {
    dbm__mysql *q = (dbm__mysql *)dbm_adapter_data(c);
    dbm__word active = DBM__MYSQL_ACTIVE;
    int wait;
    if (q == NULL || !dbm__cas(&q->state, &active, DBM__MYSQL_KILLING)) return;
    while ((wait = dbm__mysql_kill(q)) != 0) (void)dbm__net_wait(q->owner->host, dbm__mysql_socket(q->killer.my), wait, dbm__mysql_kill_until(q));
    dbm__store_release(&q->state, DBM__MYSQL_ACTIVE);
}

/* ---- operations ---------------------------------------------------------------------------------------------------------------- */

static int dbm__mysql_flow(dbm__mysql *q, dbm_op *op) {
    switch (op->kind) {
    case DBM_OP_EXECUTE: return dbm__mysql_op_execute(q, op);
    case DBM_OP_FETCH: return dbm__mysql_op_fetch(q, op);
    case DBM_OP_FINISH: return dbm__mysql_op_finish(q, op);
    case DBM_OP_HOLD: return op->result == NULL ? (int)DBM__MYSQL_DONE : dbm__mysql_hold(q, (dbm__mysql_statement *)op->result, op->row_buffer);
    case DBM_OP_PREPARE: return dbm__mysql_op_prepare(q, op);
    case DBM_OP_UNPREPARE: return dbm__mysql_op_unprepare(q, op);
    case DBM_OP_BEGIN: return dbm__mysql_op_begin(q, op);
    case DBM_OP_COMMIT: case DBM_OP_ROLLBACK: return dbm__mysql_op_end(q, op);
    case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: return dbm__mysql_op_savepoint(q, op);
    case DBM_OP_PING: return dbm__mysql_op_ping(q);
    case DBM_OP_RESET: return dbm__mysql_op_reset(q);
    case DBM_OP_NATIVE: return dbm__mysql_op_native(q, op);
    case DBM_OP_CONNECT: return dbm__mysql_op_connect(q, op);
    case DBM_OP_BULK: return dbm__mysql_op_bulk(q, op);
    case DBM_OP_BULK_SEND: case DBM_OP_BULK_END: return dbm__mysql_op_bulk_send(q, op);
    case DBM_OP_SCRIPT: case DBM_OP_COMMAND: case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_LISTEN: case DBM_OP_NOTIFIED: case DBM__OP_SIGNED: break;
    }
    q->status = DBM_E_UNSUPPORTED;
    return DBM__MYSQL_DONE;
}

static bool dbm__mysql_may_be_killed(dbm_op_kind kind) {
    return kind == DBM_OP_EXECUTE || kind == DBM_OP_FETCH || kind == DBM_OP_HOLD || kind == DBM_OP_PREPARE || kind == DBM_OP_FINISH ||
           kind == DBM_OP_BULK_SEND || kind == DBM_OP_BULK_END;
}

static void dbm__mysql_start(dbm_connection *c, dbm_op *op) {
    dbm__mysql *q;
    op->status = DBM_OK;
    if (op->kind == DBM_OP_CONNECT) dbm_adapter_set_data(c, dbm__mysql_new(c));
    q = (dbm__mysql *)dbm_adapter_data(c);
    if (q == NULL) return;
    q->phase = q->sub = q->pre = 0;
    q->refused = op->stop = false; /* Oracle's is not driven in steps, so nobody has said */
    q->may_wait = DBM__MYSQL_MARIADB && op->may_wait;
    q->status = DBM_OK;
    if (q->wait != 0) q->broken = true; /* the operation before was given up in the middle of a call */
    if (DBM__LIKELY(dbm__mysql_may_be_killed(op->kind))) dbm__store_release(&q->state, DBM__MYSQL_ACTIVE);
}

/* A connection that is gone: what needs no server is done all the same. */
static dbm_status dbm__mysql_gone(dbm__mysql *q, dbm_op *op) {
    if (op->kind == DBM_OP_FINISH || op->kind == DBM_OP_UNPREPARE || op->kind == DBM_OP_FETCH) {
        dbm__mysql_statement *s = (dbm__mysql_statement *)op->result;
        bool kept = op->kind == DBM_OP_FETCH && s != NULL && (s->held || s->text_rows != NULL);
        if (kept || op->kind != DBM_OP_FETCH) {
            (void)dbm__mysql_flow(q, op);
            return q->status;
        }
    }
    if (op->kind == DBM_OP_BULK_END) op->bulk->data = NULL; /* freed with the connection */
    return DBM__MYSQL_SAY(q, DBM_E_LOST, "08003", DBM__MYSQL_GONE, "the connection is closed");
}

static dbm_step dbm__mysql_step(dbm_connection *c, dbm_op *op) {
    dbm__mysql *q = (dbm__mysql *)dbm_adapter_data(c);
    int ready;
    if (q == NULL) { /* a connect that did not begin: it is reported */
        op->status = dbm__self()->last.status;
        return DBM_STEP_DONE;
    }
    if (DBM__UNLIKELY(q->broken)) {
        dbm__store(&q->state, DBM__MYSQL_IDLE);
        op->status = dbm__mysql_gone(q, op);
        return DBM_STEP_DONE;
    }
    if (DBM__UNLIKELY(op->stop)) {
        op->stop = false;
        if (q->phase >= 0 && dbm__load(&q->state) == DBM__MYSQL_ACTIVE) (void)dbm__mysql_stop(q);
    }
    for (;;) {
        int call;
        if (DBM__UNLIKELY(q->kills)) {
            if ((ready = dbm__mysql_kill(q)) != 0) {
                op->fd = dbm__mysql_socket(q->killer.my);
                op->wake_us = dbm__mysql_kill_until(q);
                return (dbm_step)ready;
            }
            q->kills = false;
            dbm__store_release(&q->state, q->killed_from);
        }
        if (q->wait != 0) {
            ready = q->wait & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
            if (q->call == DBM__MYSQL_CONNECT) { /* unlike the others this call takes our word for it */
                dbm_status st = dbm__net_wait(q->owner->host, dbm__mysql_socket(q->my), ready, INT64_MIN);
                if (st == DBM_E_TIMEOUT && dbm_adapter_clock(q->owner) >= q->limit_us) ready = MYSQL_WAIT_TIMEOUT;
                else if (st == DBM_E_TIMEOUT) break;
            }
            q->wait = dbm__mysql_call(q, q->call, ready);
            if (q->wait != 0) break;
        }
        call = q->phase < 0 ? (int)DBM__MYSQL_DONE : dbm__mysql_flow(q, op); /* < 0: it is through, and waits for a cancel in flight */
        if (call == DBM__MYSQL_DONE) {
            dbm__word active = DBM__MYSQL_ACTIVE;
            if (dbm__mysql_may_be_killed(op->kind) && !dbm__cas(&q->state, &active, DBM__MYSQL_IDLE) && active == DBM__MYSQL_KILLING) {
                q->phase = -1;
                op->fd = -1;
                op->wake_us = dbm_adapter_clock(q->owner) + 500;
                return DBM_STEP_TIMER;
            }
            op->status = q->status;
            q->waits = false; /* the program may use the handle itself */
            if (op->kind == DBM_OP_CONNECT) {
                q->connecting = false;
                if (op->status != DBM_OK) dbm__mysql_disconnect(c, DBM_DISCONNECT_BROKEN);
            }
            return DBM_STEP_DONE;
        }
        if (q->kills) continue;
        if (call == DBM__MYSQL_WAITING || (q->wait = dbm__mysql_call(q, call, 0)) != 0) break;
    }
    op->fd = dbm__mysql_socket(q->my);
    op->wake_us = q->call == DBM__MYSQL_CONNECT ? q->limit_us : INT64_MAX;
    ready = q->wait & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE);
    return ready == MYSQL_WAIT_WRITE ? DBM_STEP_WRITE : ready == MYSQL_WAIT_READ ? DBM_STEP_READ : DBM_STEP_BOTH;
}

#if !DBM__MYSQL_MARIADB
/* Oracle's library: the same flows, whose calls block. It says of a server that was silent for too long only that it is lost: the clock tells. */
static dbm_status dbm__mysql_blocking(dbm_connection *c, dbm_op *op) {
    int64_t began = dbm_adapter_clock(dbm_adapter_database(c));
    dbm__mysql *q;
    mysql_thread_init();
    dbm__mysql_start(c, op);
    while (dbm__mysql_step(c, op) != DBM_STEP_DONE) dbm__sleep_us(500); /* for a cancel in flight */
    q = (dbm__mysql *)dbm_adapter_data(c);
    if (op->status == DBM_E_LOST && q != NULL && q->silence_s != 0 && q->error.native == DBM__MYSQL_LOST &&
        dbm_adapter_clock(q->owner) - began >= (int64_t)q->silence_s * 1000000) {
        dbm_adapter_broken(c);
        op->status = DBM__MYSQL_SAY(q, DBM_E_TIMEOUT, "HYT00", DBM__MYSQL_LOST, "the server was silent for longer than %u s (%s); the connection is closed",
                                    (uint64_t)q->silence_s, dbm_adapter_config(q->owner)->socket_timeout_ms > 0 ? "socket_timeout" : "statement_timeout and one");
    }
    return op->status;
}
#endif

/* ---- configuration ------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__mysql_check_arg(dbm_database *db, const char *name, const char *value, const char *where) {
    const char *names[DBM__MYSQL_ARGS + DBM__MYSQL_OWN_ARGS], *near_one;
    char hint[600] = "";
    dbm__text t = dbm__text_in(hint, sizeof hint);
    size_t i, size;
    bool flag;
    for (i = 0; i < DBM__MYSQL_ARGS + DBM__MYSQL_OWN_ARGS; i++) {
        int kind = i < DBM__MYSQL_ARGS ? dbm__mysql_args[i].kind : DBM__MYSQL_ARG_TEXT;
        names[i] = i < DBM__MYSQL_ARGS ? dbm__mysql_args[i].name : dbm__mysql_own_args[i - DBM__MYSQL_ARGS];
        if (i < DBM__MYSQL_ARGS ? strcmp(name, names[i]) != 0 : !dbm__same_word(name, names[i])) continue;
        if (kind == DBM__MYSQL_ARG_NUMBER && (!dbm__parse_size(value, &size) || size == 0 || size > 1073741824u)) {
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s %s = %s: expected a size of up to 1g, such as 64m", where, name, value);
        }
        if (kind == DBM__MYSQL_ARG_FLAG && !dbm__parse_bool(value, &flag)) {
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s %s = %s: expected true or false", where, name, value);
        }
        if (i == DBM__MYSQL_ARGS && !dbm__same_word(value, "utf8mb4") && !dbm__same_word(value, "utf8")) {
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s charset = %s: texts are always UTF-8 (utf8mb4) here; leave it out", where, value);
        }
        return DBM_OK;
    }
    near_one = dbm__nearest(name, names, i);
    if (near_one != NULL) {
        dbm__putf(&t, "; did you mean %s?", near_one);
    } else {
        dbm__put(&t, "; there are ");
        for (i = 0; i < DBM__MYSQL_ARGS + DBM__MYSQL_OWN_ARGS; i++) dbm__putf(&t, "%s%s", i != 0 ? ", " : "", names[i]);
        dbm__put(&t, "; time-outs and TLS are keys of the section");
    }
    dbm__text_end(&t);
    return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s %q is unknown%s", where, name, hint);
}

static dbm_status dbm__mysql_check_args(dbm_database *db) {
    dbm_option one;
    const char *where;
    dbm_status status = DBM_OK;
    size_t i = 0;
    while (status == DBM_OK && (where = dbm__adapter_argument(db, &i, &one)) != NULL) status = dbm__mysql_check_arg(db, one.name, one.value, where);
    return status;
}

static dbm_status dbm__mysql_check_sql_mode(dbm_database *db, const char *mode) {
    const char *p = mode;
    size_t i;
    if (strlen(mode) > 200 || strspn(mode, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_,") != strlen(mode)) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "sql_mode = %s: expected names with commas between them, such as STRICT_ALL_TABLES,NO_ZERO_DATE", mode);
    }
    while (*p != '\0') {
        size_t size = strcspn(p, ",");
        for (i = 0; i < sizeof dbm__mysql_modes / sizeof dbm__mysql_modes[0]; i++) {
            if (!dbm__same_word_n(p, size, dbm__mysql_modes[i])) continue;
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "sql_mode = %s: under %s quotes or backslashes mean something else than dbm.h takes them for; leave it out", mode,
                                       dbm__mysql_modes[i]);
        }
        p += size + (p[size] == ',');
    }
    return DBM_OK;
}

static dbm_status dbm__mysql_tls(dbm_database *db, dbm__mysql_base *base) {
    const dbm_config *config = dbm_adapter_config(db);
    bool local = true;
    int i;
    for (i = 0; i < base->host_count; i++) if (!dbm__mysql_local(base->hosts[i].name)) local = false;
    base->tls = config->tls != DBM_TLS_DEFAULT ? config->tls : local ? DBM_TLS_OFF : DBM_TLS_PREFER;
#if DBM__MYSQL_MARIADB
    if (base->tls == DBM_TLS_VERIFY_CA) {
        if (config->tls_ca == NULL && dbm_adapter_option(db, "ssl_capath") == NULL) {
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "tls = verify-ca needs tls_ca: MariaDB Connector/C checks a certificate without its name only against a given CA; "
                                     "set it, or use verify-full");
        }
#  if MARIADB_PACKAGE_VERSION_ID >= 30400
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "tls = verify-ca: this version of MariaDB Connector/C can't check a certificate without its name; use verify-full");
#  endif
    }
#else
    if (base->tls >= DBM_TLS_VERIFY_CA && config->tls_ca == NULL && dbm_adapter_option(db, "ssl_capath") == NULL &&
        dbm_adapter_option(db, "read_default_file") == NULL && dbm_adapter_option(db, "read_default_group") == NULL) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "tls = %s needs tls_ca: Oracle's client does not use the system's authorities; set it, or connect_args.ssl_capath",
                                 base->tls == DBM_TLS_VERIFY_CA ? "verify-ca" : "verify-full");
    }
#endif
    return DBM_OK;
}

/* The library's own start, once in a process. Oracle's is not safe when two threads begin with it at once. */
static bool dbm__mysql_library(void) {
    static dbm__word state; /* 0: not yet, 1: under way, 2: done; the library's own state is the process's too */
    dbm__word expected = 0;
    if (dbm__load_acquire(&state) == 2) return true;
    if (dbm__cas(&state, &expected, 1)) {
        bool ok;
#if !DBM__MYSQL_MARIADB && DBM__MYSQL_POSIX && DBM__THREADS
        struct sigaction before;
        int known = sigaction(SIGPIPE, NULL, &before);
#endif
        ok = mysql_library_init(0, NULL, NULL) == 0;
#if !DBM__MYSQL_MARIADB && DBM__MYSQL_POSIX && DBM__THREADS
        if (known == 0) (void)sigaction(SIGPIPE, &before, NULL);
#endif
        dbm__store_release(&state, ok ? 2 : 0);
        return ok;
    }
    while (dbm__load_acquire(&state) == 1) dbm__sleep_us(100);
    return dbm__load_acquire(&state) == 2;
}

static dbm_status dbm__mysql_init(dbm_database *db) {
    const dbm_url *url = dbm_adapter_url(db);
    const char *hosts = url->hosts != NULL ? url->hosts : "", *path = url->path != NULL ? url->path : "", *p;
    const char *socket_path = dbm_adapter_option(db, "unix_socket"), *mode = dbm_adapter_option(db, "sql_mode");
    size_t count = 1, hosts_size = strlen(hosts) + 1, path_size = strlen(path) + 1;
    dbm__mysql_base *base;
    dbm_status status;
    char *texts;
    if (socket_path == NULL) socket_path = dbm_adapter_option(db, "socket");
    if (!dbm__mysql_library()) return dbm_adapter_fail_init(db, DBM_E_NOMEM, "the MySQL client library could not be initialised");
    status = dbm__mysql_check_args(db);
    if (status == DBM_OK && mode != NULL) status = dbm__mysql_check_sql_mode(db, mode);
    if (status != DBM_OK) return status;
    if (strchr(path, '/') != NULL) return dbm__adapter_refuse(db, DBM_E_CONFIG, "the URL's path %q is not the name of one database", path);
    for (p = hosts; *p != '\0'; p++) count += *p == ',';
    base = (dbm__mysql_base *)dbm_adapter_alloc(db, sizeof *base + count * sizeof(dbm__mysql_host) + hosts_size + count + path_size);
    if (base == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    memset(base, 0, sizeof *base);
    base->hosts = (dbm__mysql_host *)(void *)(base + 1);
    texts = (char *)(base->hosts + count);
    memcpy(texts, path, path_size);
    base->schema = path_size > 1 ? texts : NULL;
    base->socket = socket_path != NULL && socket_path[0] != '\0' ? socket_path : NULL;
    base->sql_mode = mode;
    /* init_sql runs outside of a transaction; the first session then switches. */
    base->autocommit = dbm_adapter_config(db)->isolation == DBM_AUTOCOMMIT || dbm_adapter_config(db)->init_sql != NULL;
    if (base->socket != NULL || hosts[0] == '\0') {
        base->hosts[0].name = NULL;
        base->hosts[0].port = 0;
        base->host_count = 1;
    } else {
        for (texts += path_size; base->host_count < (int)count; base->host_count++, texts += strlen(texts) + 1) {
            dbm__mysql_host *host = &base->hosts[base->host_count];
            int port = 3306;
            if (!dbm_adapter_host(db, base->host_count, texts, hosts_size, &port)) break;
            host->name = texts;
            host->port = (unsigned)port;
        }
    }
    status = dbm__mysql_tls(db, base);
    if (status != DBM_OK) {
        dbm_adapter_free(db, base);
        return status;
    }
    dbm_adapter_set_db_data(db, base);
    return DBM_OK;
}

static void dbm__mysql_close(dbm_database *db) {
    dbm_adapter_free(db, dbm_adapter_db_data(db));
    dbm_adapter_set_db_data(db, NULL);
}

static const dbm_adapter dbm__mysql_adapter = {
    sizeof(dbm_adapter), DBM_ADAPTER_VERSION,
    "mysql", "mysql,mariadb", DBM__MYSQL_OPTIONS,
    DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS | DBM_ADAPTER_SOCKET | DBM_ADAPTER_ONE_RESULT | DBM_ADAPTER_FAILS_ALONE |
        DBM_ADAPTER_BULK_PREPARED | DBM_ADAPTER_STOPS,
    DBM_PH_QUESTION, DBM__MYSQL_LEXER,
    dbm__mysql_init, dbm__mysql_close,
#if DBM__MYSQL_MARIADB
    NULL, dbm__mysql_disconnect, dbm__mysql_alive, NULL, NULL, dbm__mysql_cancel, dbm__mysql_classify,
    dbm__mysql_at_hand, dbm__mysql_at_hand, dbm__mysql_column_value, dbm__mysql_column_name,
    dbm__mysql_start, dbm__mysql_step,
#else
    dbm__mysql_blocking, dbm__mysql_disconnect, dbm__mysql_alive, dbm__mysql_blocking, dbm__mysql_blocking, dbm__mysql_cancel, dbm__mysql_classify,
    dbm__mysql_blocking, dbm__mysql_blocking, dbm__mysql_column_value, dbm__mysql_column_name,
    NULL, NULL,
#endif
    dbm__mysql_bulk_row, dbm__mysql_bulk_columns
};

DBM__FN const dbm_adapter *dbm__adapter_mysql(void) { return &dbm__mysql_adapter; }

DBM__FN void dbm__adapter_mysql_shutdown(void) { mysql_library_end(); }

#endif /* DBM__MYSQL_HEADER */
#endif /* DBM_HAS_MYSQL */
