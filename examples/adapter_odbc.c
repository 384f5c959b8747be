/* Any ODBC source as a database: an adapter on unixODBC, by the public table (dbm_adapter) alone, and a program that uses it. It shows what a whole
 * adapter has: prepared statements, rows that stream, types, transactions, cancel, time-outs, errors and constraints by kind.
 *     odbc:///shop                                            the data source [shop] of odbc.ini
 *     odbc:///?driver=SQLite3&database=/var/lib/app.db        without one: parameters go to the driver as they are
 *     odbc://app:secret@db1:5432/?driver=PostgreSQL Unicode&database=shop      (a blank in a URL is written %20)
 * (protocol=7.4-0 leaves it to dbm.h to roll back, which savepoints of PostgreSQL's driver need)
 * So do connect_args.NAME of the configuration; user and password become UID and PWD, host and port SERVER and PORT. ping_sql (default: SELECT 1)
 * is what asks whether a connection is alive. A call of a driver can't be left before it returns: time-outs are the driver's, in whole seconds, and
 * only some drivers notice a server that has fallen silent (PostgreSQL's: pqopt={tcp_user_timeout=10000}). The program takes ODBC_URL from the environment, or makes an SQLite file. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_INI
#include "dbm.h"
#include <pthread.h>
#include <sql.h>
#include <sqlext.h>
#include <sqlucode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ODBC_VALUES = 64, ODBC_CHUNK = 1024 };

/* One connection. unixODBC lets one thread at a time into an environment, so each has its own. */
typedef struct odbc_connection {
    dbm_database *db;
    SQLHENV env;
    SQLHDBC dbc;
    pthread_mutex_t lock;                  /* guards `running`: a cancel finds the statement that runs now, or none */
    SQLHSTMT running;
    int endings;                           /* of transactions that made the driver forget what was prepared */
    bool forgets_commit, forgets_rollback;
    SQLUINTEGER usual, isolation;          /* the source's own level, and that in force */
    SQLWCHAR *wide;                        /* a long text on its way from UTF-16 */
    size_t wide_room;
} odbc_connection;

/* dbm_prepared.data */
typedef struct odbc_statement { SQLHSTMT h; int endings; unsigned seconds; } odbc_statement;

typedef enum odbc_kind { ODBC_TEXT, ODBC_INT, ODBC_UINT, ODBC_DOUBLE, ODBC_BOOL, ODBC_DECIMAL, ODBC_TIMESTAMP, ODBC_UUID, ODBC_BLOB } odbc_kind;
typedef struct odbc_column { odbc_kind kind; char name[256]; } odbc_column;
/* A row in two blocks; texts are found by where they begin in `bytes`, which moves while it grows. */
typedef struct odbc_cell { dbm_value value; size_t at; } odbc_cell;
typedef struct odbc_row { struct odbc_row *next; char *bytes; size_t used, room; odbc_cell cells[1]; } odbc_row;
/* dbm_op.result. Rows stream from the cursor until something else is to be run on the connection: then HOLD puts the rest into `held`. */
typedef struct odbc_rows { SQLHSTMT h; bool own; int count; odbc_row *now, *held, *last; bool done; odbc_column columns[1]; } odbc_rows;

static odbc_connection *odbc_of(dbm_connection *c) { return (odbc_connection *)dbm_adapter_data(c); }
static unsigned odbc_seconds(int ms) { return ms < 0 ? 0 : (unsigned)ms / 1000 + (ms % 1000 != 0); } /* ODBC counts in whole ones; 0: no limit */
static bool odbc_ok(SQLRETURN rc) { return rc == SQL_SUCCESS || rc == SQL_SUCCESS_WITH_INFO || rc == SQL_NO_DATA; }

/* ---- UTF-8 here, UTF-16 there --------------------------------------------------------------------------------------------------------------
 * What the ANSI calls make of a text depends on the driver manager, the driver and the locale; the wide calls have one meaning. */

/* Into memory of the adapter's, NUL-terminated; NULL: no memory, or no UTF-8 (*units is 1 then). */
static SQLWCHAR *odbc_widen(dbm_database *db, const char *text, size_t size, size_t *units) {
    const unsigned char *c = (const unsigned char *)text, *end = c + size;
    SQLWCHAR *wide = (SQLWCHAR *)dbm_adapter_alloc(db, (size + 1) * sizeof *wide);
    size_t n = 0;
    *units = 0;
    if (wide == NULL) return NULL;
    while (c < end) {
        static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
        int more = *c < 0x80 ? 0 : (*c & 0xE0) == 0xC0 ? 1 : (*c & 0xF0) == 0xE0 ? 2 : (*c & 0xF8) == 0xF0 ? 3 : -1, i;
        uint32_t x = more <= 0 ? *c : *c & (0x3Fu >> more);
        for (i = 1; more > 0 && i <= more; i++) {
            if (end - c <= i || (c[i] & 0xC0) != 0x80) more = -1;
            else x = x << 6 | (c[i] & 0x3Fu);
        }
        if (more < 0 || x < least[more] || x > 0x10FFFF || (x >= 0xD800 && x < 0xE000)) {
            dbm_adapter_free(db, wide);
            *units = 1;
            return NULL;
        }
        if (x >= 0x10000) {
            wide[n++] = (SQLWCHAR)(0xD7C0 + (x >> 10));
            x = 0xDC00 + (x & 0x3FF);
        }
        wide[n++] = (SQLWCHAR)x;
        c += more + 1;
    }
    wide[n] = 0;
    *units = n;
    return wide;
}

/* Writes at most 3 bytes a unit and a NUL; returns the bytes without it. Half a pair becomes the replacement character. */
static size_t odbc_narrow(const SQLWCHAR *wide, size_t units, char *out) {
    char *to = out;
    size_t i;
    for (i = 0; i < units; i++) {
        uint32_t x = wide[i];
        if (x >= 0xD800 && x < 0xDC00 && i + 1 < units && (wide[i + 1] & 0xFC00) == 0xDC00) x = 0x10000 + ((x & 0x3FF) << 10) + (wide[++i] & 0x3FFu);
        else if (x >= 0xD800 && x < 0xE000) x = 0xFFFD;
        if (x < 0x80) {
            *to++ = (char)x;
        } else {
            static const unsigned char first[] = { 0, 0xC0, 0xE0, 0xF0 };
            int more = x < 0x800 ? 1 : x < 0x10000 ? 2 : 3;
            *to++ = (char)(first[more] | x >> 6 * more);
            while (more-- > 0) *to++ = (char)(0x80 | (x >> 6 * more & 0x3F));
        }
    }
    *to = 0;
    return (size_t)(to - out);
}

/* ---- errors ------------------------------------------------------------------------------------------------------------------------------------ */

/* Which constraint, of drivers that tell it in words alone; the name follows the words where they have one. */
static void odbc_constraint(dbm_connection *c, const char *text) {
    static const struct { const char *words; dbm_constraint kind; } known[] = {
        { "UNIQUE constraint failed: ", DBM_CONSTRAINT_UNIQUE }, { "NOT NULL constraint failed: ", DBM_CONSTRAINT_NOT_NULL },
        { "CHECK constraint failed: ", DBM_CONSTRAINT_CHECK },   { "FOREIGN KEY constraint failed", DBM_CONSTRAINT_FOREIGN_KEY },
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *at = strstr(text, known[i].words);
        char name[128];
        if (at == NULL) continue;
        at += strlen(known[i].words);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(at, " ("), at);
        dbm_adapter_fail_constraint(c, known[i].kind, name);
        return;
    }
}

/* The driver's first diagnostic as this thread's failure. */
static dbm_status odbc_fail(dbm_connection *c, const dbm_op *op, SQLSMALLINT type, SQLHANDLE h) {
    odbc_connection *k = odbc_of(c);
    SQLWCHAR wide_state[6] = { 0 }, wide[500] = { 0 };
    SQLINTEGER native = 0;
    SQLSMALLINT units = 0;
    SQLUINTEGER dead = SQL_CD_FALSE;
    char state[20] = "", text[1501] = "";
    dbm_status status = DBM_OK; /* then the SQLSTATE's class decides */
    if (odbc_ok(SQLGetDiagRecW(type, h, 1, wide_state, &native, wide, sizeof wide / sizeof wide[0], &units))) {
        odbc_narrow(wide_state, 5, state);
        odbc_narrow(wide, units < 500 ? (size_t)units : 499, text);
    }
    if (op->kind == DBM_OP_CONNECT) status = strncmp(state, "28", 2) == 0 ? DBM_E_AUTH : DBM_E_CONNECT;
    else if (strncmp(state, "HYT", 3) == 0) status = DBM_E_TIMEOUT;
    else if (strcmp(state, "HY008") == 0 || strcmp(state, "57014") == 0 || strstr(text, "]interrupted") != NULL) status = dbm_adapter_clock(k->db) >= op->deadline_us ? DBM_E_TIMEOUT : DBM_E_CANCELLED;
    else if (strcmp(state, "HY001") == 0) status = DBM_E_NOMEM;
    else if (strstr(text, "constraint failed") != NULL) status = DBM_E_CONSTRAINT; /* SQLite's driver: HY000 for all that it has to say */
    else if (strstr(text, "database is locked") != NULL) status = DBM_E_SERIALIZATION;
    else if (strstr(text, "readonly database") != NULL) status = DBM_E_READ_ONLY;
    if (op->kind != DBM_OP_CONNECT && SQLGetConnectAttr(k->dbc, SQL_ATTR_CONNECTION_DEAD, &dead, SQL_IS_UINTEGER, NULL) == SQL_SUCCESS && dead == SQL_CD_TRUE) {
        status = DBM_E_LOST;
    }
    status = dbm_adapter_fail(c, status, state, (int)native, text);
    if (status == DBM_E_CONSTRAINT) odbc_constraint(c, text);
    return status;
}

/* ---- configuration and connections --------------------------------------------------------------------------------------------------------------- */

static dbm_status odbc_init(dbm_database *db) {
    const dbm_url *url = dbm_adapter_url(db);
    char host[256];
    if (url->path[0] == 0 && url->parameter_count == 0) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "expected url = odbc:///DSN, or odbc:///?driver=NAME&...");
    if (dbm_adapter_host(db, 1, host, sizeof host, NULL)) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "ODBC knows one server");
    return DBM_OK;
}
static void odbc_close(dbm_database *db) { (void)db; }

/* Adds NAME=value; in braces where that is needed. False: too long. */
static bool odbc_put(char *text, size_t n, const char *name, const char *value) {
    size_t at = strlen(text), size = strlen(value), i;
    bool braces = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:~ ") != size;
    if (at + strlen(name) + 2 * size + 5 > n) return false;
    at += (size_t)sprintf(text + at, "%s=%s", name, braces ? "{" : "");
    for (i = 0; i < size; i++) {
        text[at++] = value[i];
        if (braces && value[i] == '}') text[at++] = '}';
    }
    strcpy(text + at, braces ? "};" : ";");
    return true;
}

static dbm_status odbc_string(dbm_connection *c, char *text, size_t n) {
    dbm_database *db = dbm_adapter_database(c);
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    dbm_credentials who;
    char host[256], number[16];
    int port = 0;
    size_t i;
    bool ok = true;
    dbm_status status = dbm_adapter_credentials(c, &who); /* asks the program's callback, where it has one */
    text[0] = 0;
    if (status != DBM_OK) return status;
    if (url->path[0] != 0) ok = odbc_put(text, n, "DSN", url->path);
    for (i = 0; ok && i < url->parameter_count; i++) ok = odbc_put(text, n, url->parameters[i].name, url->parameters[i].value);
    for (i = 0; ok && i < config->option_count; i++) {
        if (strncmp(config->options[i].name, "connect_args.", 13) == 0) ok = odbc_put(text, n, config->options[i].name + 13, config->options[i].value);
    }
    if (ok && dbm_adapter_host(db, 0, host, sizeof host, &port)) ok = odbc_put(text, n, "SERVER", host);
    snprintf(number, sizeof number, "%d", port);
    if (ok && port != 0) ok = odbc_put(text, n, "PORT", number);
    if (ok && who.user != NULL && who.user[0] != 0) ok = odbc_put(text, n, "UID", who.user);
    if (ok && who.password != NULL && who.password[0] != 0) ok = odbc_put(text, n, "PWD", who.password);
    return ok ? DBM_OK : dbm_adapter_fail(c, DBM_E_CONFIG, NULL, 0, "the connection string is too long");
}

static void odbc_disconnect(dbm_connection *c, dbm_disconnect how) {
    odbc_connection *k = odbc_of(c);
    if (how == DBM_DISCONNECT_FORKED) return; /* drivers have no way to leave without a word: it is only forgotten */
    if (k->dbc != SQL_NULL_HDBC) {
        SQLEndTran(SQL_HANDLE_DBC, k->dbc, SQL_ROLLBACK);
        SQLDisconnect(k->dbc);
        SQLFreeHandle(SQL_HANDLE_DBC, k->dbc);
    }
    if (k->env != SQL_NULL_HENV) SQLFreeHandle(SQL_HANDLE_ENV, k->env);
    pthread_mutex_destroy(&k->lock);
    dbm_adapter_free(k->db, k->wide);
    dbm_adapter_free(k->db, k);
    dbm_adapter_set_data(c, NULL);
}

static dbm_status odbc_open(dbm_connection *c, dbm_op *op, odbc_connection *k) {
    char text[4096];
    SQLWCHAR *wide;
    SQLUSMALLINT behaviour = 0;
    SQLRETURN rc;
    dbm_status status;
    size_t units;
    int left = dbm_adapter_left_ms(c, op);
    if (!odbc_ok(SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &k->env))) return DBM_E_NOMEM;
    SQLSetEnvAttr(k->env, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)(uintptr_t)SQL_OV_ODBC3, 0);
    if (!odbc_ok(SQLAllocHandle(SQL_HANDLE_DBC, k->env, &k->dbc))) return odbc_fail(c, op, SQL_HANDLE_ENV, k->env);
    if (left > 0) SQLSetConnectAttr(k->dbc, SQL_ATTR_LOGIN_TIMEOUT, (SQLPOINTER)(uintptr_t)odbc_seconds(left), SQL_IS_UINTEGER);
    if ((status = odbc_string(c, text, sizeof text)) != DBM_OK) return status;
    wide = odbc_widen(k->db, text, strlen(text), &units);
    memset(text, 0, sizeof text);
    if (wide == NULL) return units == 0 ? DBM_E_NOMEM : dbm_adapter_fail(c, DBM_E_CONFIG, NULL, 0, "the URL is no UTF-8");
    rc = SQLDriverConnectW(k->dbc, NULL, wide, (SQLSMALLINT)units, NULL, 0, NULL, SQL_DRIVER_NOPROMPT);
    memset(wide, 0, units * sizeof *wide);
    dbm_adapter_free(k->db, wide);
    if (!odbc_ok(rc)) return odbc_fail(c, op, SQL_HANDLE_DBC, k->dbc);
    if (odbc_ok(SQLGetInfo(k->dbc, SQL_CURSOR_COMMIT_BEHAVIOR, &behaviour, sizeof behaviour, NULL))) k->forgets_commit = behaviour == SQL_CB_DELETE;
    if (odbc_ok(SQLGetInfo(k->dbc, SQL_CURSOR_ROLLBACK_BEHAVIOR, &behaviour, sizeof behaviour, NULL))) k->forgets_rollback = behaviour == SQL_CB_DELETE;
    if (odbc_ok(SQLGetInfo(k->dbc, SQL_DEFAULT_TXN_ISOLATION, &k->usual, sizeof k->usual, NULL))) k->isolation = k->usual;
    return DBM_OK;
}

static dbm_status odbc_connect(dbm_connection *c, dbm_op *op) {
    dbm_database *db = dbm_adapter_database(c);
    odbc_connection *k = (odbc_connection *)dbm_adapter_alloc(db, sizeof *k);
    dbm_status status;
    if (k == NULL) return DBM_E_NOMEM;
    memset(k, 0, sizeof *k);
    k->db = db;
    pthread_mutex_init(&k->lock, NULL);
    dbm_adapter_set_data(c, k);
    status = odbc_open(c, op, k);
    if (status != DBM_OK) odbc_disconnect(c, DBM_DISCONNECT_BROKEN);
    return status;
}

/* No round trip: what the driver found out by itself. */
static dbm_status odbc_alive(dbm_connection *c) {
    SQLUINTEGER dead = SQL_CD_FALSE;
    return odbc_ok(SQLGetConnectAttr(odbc_of(c)->dbc, SQL_ATTR_CONNECTION_DEAD, &dead, SQL_IS_UINTEGER, NULL)) && dead == SQL_CD_TRUE ? DBM_E_LOST : DBM_OK;
}

/* ---- statements ------------------------------------------------------------------------------------------------------------------------------------- */

/* From `begin` to `end` a cancel of another thread finds the statement; after `end` it can't hit the next one. */
static void odbc_begin(odbc_connection *k, SQLHSTMT h) {
    pthread_mutex_lock(&k->lock);
    k->running = h;
    pthread_mutex_unlock(&k->lock);
}
static void odbc_end(odbc_connection *k) { odbc_begin(k, SQL_NULL_HSTMT); }

static void odbc_cancel(dbm_connection *c) {
    odbc_connection *k = odbc_of(c);
    pthread_mutex_lock(&k->lock);
    if (k->running != SQL_NULL_HSTMT) SQLCancel(k->running);
    pthread_mutex_unlock(&k->lock);
}

/* The deadline; a driver that has no time-outs says so in vain. */
static void odbc_limit(dbm_connection *c, const dbm_op *op, SQLHSTMT h, unsigned *set) {
    unsigned seconds = odbc_seconds(dbm_adapter_left_ms(c, op));
    if (seconds != *set) SQLSetStmtAttr(h, SQL_ATTR_QUERY_TIMEOUT, (SQLPOINTER)(uintptr_t)seconds, SQL_IS_UINTEGER);
    *set = seconds;
}

/* Sends the text: to be prepared, or to be run at once. */
static dbm_status odbc_send(dbm_connection *c, const dbm_op *op, odbc_statement *st, bool run) {
    odbc_connection *k = odbc_of(c);
    size_t units;
    SQLWCHAR *wide = odbc_widen(k->db, op->sql, op->sql_size, &units);
    SQLRETURN rc;
    if (wide == NULL) return units == 0 ? DBM_E_NOMEM : dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "the statement is no UTF-8");
    odbc_limit(c, op, st->h, &st->seconds);
    odbc_begin(k, st->h);
    rc = run ? SQLExecDirectW(st->h, wide, (SQLINTEGER)units) : SQLPrepareW(st->h, wide, (SQLINTEGER)units);
    odbc_end(k);
    dbm_adapter_free(k->db, wide);
    st->endings = k->endings;
    return odbc_ok(rc) ? DBM_OK : odbc_fail(c, op, SQL_HANDLE_STMT, st->h);
}

static dbm_status odbc_prepare(dbm_connection *c, dbm_op *op) {
    odbc_connection *k = odbc_of(c);
    odbc_statement *st = (odbc_statement *)dbm_adapter_alloc(k->db, sizeof *st);
    SQLSMALLINT parameters = 0;
    dbm_status status;
    if (st == NULL) return DBM_E_NOMEM;
    memset(st, 0, sizeof *st);
    status = odbc_ok(SQLAllocHandle(SQL_HANDLE_STMT, k->dbc, &st->h)) ? odbc_send(c, op, st, false) : odbc_fail(c, op, SQL_HANDLE_DBC, k->dbc);
    if (status == DBM_OK && odbc_ok(SQLNumParams(st->h, &parameters)) && parameters != op->prepared->parameters) {
        status = dbm_adapter_fail(c, DBM_E_SQL, NULL, 0, "the driver counts other placeholders in the statement than dbm.h");
    }
    if (status != DBM_OK) {
        if (st->h != SQL_NULL_HSTMT) SQLFreeHandle(SQL_HANDLE_STMT, st->h);
        dbm_adapter_free(k->db, st);
        return status;
    }
    op->prepared->data = st;
    op->prepared->single = true; /* one cursor at a time: dbm.h prepares another where two are needed */
    return DBM_OK;
}

static void odbc_unprepare(dbm_connection *c, dbm_op *op) {
    odbc_statement *st = (odbc_statement *)op->prepared->data;
    if (st == NULL) return;
    SQLFreeHandle(SQL_HANDLE_STMT, st->h);
    dbm_adapter_free(odbc_of(c)->db, st);
    op->prepared->data = NULL;
}

/* Where the driver reads the values of a call, until SQLExecute is done. */
typedef struct odbc_value { SQLLEN size; SQLWCHAR *wide; char text[64]; unsigned char bit; } odbc_value;

static dbm_status odbc_bind(dbm_connection *c, const dbm_op *op, SQLHSTMT h, int i, const dbm_value *v, odbc_value *o) {
    SQLSMALLINT from = SQL_C_CHAR, to = SQL_VARCHAR;
    SQLULEN width = 1;
    const void *data = v;
    size_t units;
    o->size = 0;
    switch (v->type) {
    case DBM_TYPE_NULL: o->size = SQL_NULL_DATA; break;
    case DBM_TYPE_UINT:
        if (v->as.uinteger > INT64_MAX) return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "a value over 9223372036854775807 has no type in ODBC");
        from = SQL_C_SBIGINT, to = SQL_BIGINT, width = 19, data = &v->as.uinteger;
        break;
    case DBM_TYPE_INT: from = SQL_C_SBIGINT, to = SQL_BIGINT, width = 19, data = &v->as.integer; break;
    case DBM_TYPE_DOUBLE: from = SQL_C_DOUBLE, to = SQL_DOUBLE, width = 15, data = &v->as.real; break;
    case DBM_TYPE_BOOL:
        o->bit = v->as.integer != 0;
        from = SQL_C_BIT, to = SQL_BIT, data = &o->bit;
        break;
    case DBM_TYPE_BLOB:
        from = SQL_C_BINARY, to = v->as.text.size > 8000 ? SQL_LONGVARBINARY : SQL_VARBINARY;
        data = v->as.text.data != NULL ? v->as.text.data : "";
        width = v->as.text.size;
        o->size = (SQLLEN)v->as.text.size;
        break;
    case DBM_TYPE_TIMESTAMP:
        data = dbm_adapter_text(v, o->text, &units);
        width = units;
        o->size = (SQLLEN)units;
        break;
    default: /* texts of all kinds */
        o->wide = odbc_widen(odbc_of(c)->db, v->as.text.data, v->as.text.size, &units);
        if (o->wide == NULL) return units == 0 ? DBM_E_NOMEM : dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "a text is no UTF-8: pass bytes by dbm_blob()");
        from = SQL_C_WCHAR, to = units > 4000 ? SQL_WLONGVARCHAR : SQL_WVARCHAR;
        data = o->wide;
        width = units;
        o->size = (SQLLEN)(units * sizeof(SQLWCHAR));
        break;
    }
    if (odbc_ok(SQLBindParameter(h, (SQLUSMALLINT)(i + 1), SQL_PARAM_INPUT, from, to, width != 0 ? width : 1, 0, (SQLPOINTER)(uintptr_t)data, o->size > 0 ? o->size : 0, &o->size))) {
        return DBM_OK;
    }
    return odbc_fail(c, op, SQL_HANDLE_STMT, h);
}

static odbc_kind odbc_kind_of(SQLHSTMT h, int i, SQLSMALLINT type) {
    SQLLEN is_unsigned = SQL_FALSE;
    switch (type) {
    case SQL_BIGINT: SQLColAttribute(h, (SQLUSMALLINT)(i + 1), SQL_DESC_UNSIGNED, NULL, 0, NULL, &is_unsigned); return is_unsigned == SQL_TRUE ? ODBC_UINT : ODBC_INT;
    case SQL_TINYINT: case SQL_SMALLINT: case SQL_INTEGER: return ODBC_INT;
    case SQL_REAL: case SQL_FLOAT: case SQL_DOUBLE: return ODBC_DOUBLE;
    case SQL_BIT: return ODBC_BOOL;
    case SQL_DECIMAL: case SQL_NUMERIC: return ODBC_DECIMAL;
    case SQL_TYPE_TIMESTAMP: return ODBC_TIMESTAMP;
    case SQL_GUID: return ODBC_UUID;
    case SQL_BINARY: case SQL_VARBINARY: case SQL_LONGVARBINARY: return ODBC_BLOB;
    default: return ODBC_TEXT;
    }
}

static void odbc_row_free(odbc_connection *k, odbc_row *row) {
    while (row != NULL) {
        odbc_row *next = row->next;
        dbm_adapter_free(k->db, row->bytes);
        dbm_adapter_free(k->db, row);
        row = next;
    }
}

static void odbc_rows_free(odbc_connection *k, odbc_rows *rows) {
    if (rows == NULL) return;
    SQLFreeStmt(rows->h, SQL_CLOSE);
    if (rows->own) SQLFreeHandle(SQL_HANDLE_STMT, rows->h);
    odbc_row_free(k, rows->now);
    odbc_row_free(k, rows->held);
    dbm_adapter_free(k->db, rows);
}

static dbm_status odbc_result(dbm_connection *c, dbm_op *op, SQLHSTMT h, bool own) {
    odbc_connection *k = odbc_of(c);
    odbc_rows *rows;
    SQLSMALLINT columns = 0, i;
    SQLLEN affected = -1;
    if (!odbc_ok(SQLNumResultCols(h, &columns))) return odbc_fail(c, op, SQL_HANDLE_STMT, h);
    if (op->prepared == NULL || op->prepared->writes) SQLRowCount(h, &affected);
    op->affected = affected >= 0 ? (int64_t)affected : -1;
    if (columns <= 0) {
        SQLFreeStmt(h, SQL_CLOSE);
        if (own) SQLFreeHandle(SQL_HANDLE_STMT, h);
        return DBM_OK;
    }
    rows = (odbc_rows *)dbm_adapter_alloc(k->db, sizeof *rows + (size_t)columns * sizeof rows->columns[0]);
    if (rows == NULL) return DBM_E_NOMEM;
    memset(rows, 0, sizeof *rows);
    rows->h = h;
    rows->count = columns;
    for (i = 0; i < columns; i++) {
        SQLWCHAR name[84];
        SQLSMALLINT units = 0, type = 0, digits, nullable;
        SQLULEN width;
        if (!odbc_ok(SQLDescribeColW(h, (SQLUSMALLINT)(i + 1), name, 84, &units, &type, &width, &digits, &nullable))) {
            dbm_status status = odbc_fail(c, op, SQL_HANDLE_STMT, h);
            dbm_adapter_free(k->db, rows);
            return status;
        }
        odbc_narrow(name, units < 84 ? (size_t)units : 83, rows->columns[i].name);
        rows->columns[i].kind = odbc_kind_of(h, i, type);
    }
    rows->own = own;
    op->result = rows; /* FINISH comes for it, however the reading ends */
    op->columns = columns;
    return DBM_OK;
}

static dbm_status odbc_execute_prepared(dbm_connection *c, dbm_op *op, odbc_statement *st) {
    odbc_connection *k = odbc_of(c);
    odbc_value values[ODBC_VALUES];
    dbm_status status = st->endings != k->endings ? odbc_send(c, op, st, false) : DBM_OK;
    SQLRETURN rc;
    int i, bound = 0;
    for (; bound < op->value_count && status == DBM_OK; bound++) {
        values[bound].wide = NULL;
        status = odbc_bind(c, op, st->h, bound, &op->values[bound], &values[bound]);
    }
    if (status == DBM_OK) {
        odbc_limit(c, op, st->h, &st->seconds);
        odbc_begin(k, st->h);
        rc = SQLExecute(st->h);
        odbc_end(k);
        status = odbc_ok(rc) ? odbc_result(c, op, st->h, false) : odbc_fail(c, op, SQL_HANDLE_STMT, st->h);
    }
    if (bound > 0) SQLFreeStmt(st->h, SQL_RESET_PARAMS);
    for (i = 0; i < bound; i++) dbm_adapter_free(k->db, values[i].wide);
    if (status != DBM_OK) SQLFreeStmt(st->h, SQL_CLOSE);
    return status;
}

static dbm_status odbc_run(dbm_connection *c, dbm_op *op) {
    odbc_connection *k = odbc_of(c);
    odbc_statement once;
    dbm_status status;
    if (op->value_count > ODBC_VALUES) return dbm_adapter_fail(c, DBM_E_LIMIT, NULL, 0, "too many values");
    if (op->prepared->data != NULL) return odbc_execute_prepared(c, op, (odbc_statement *)op->prepared->data);
    memset(&once, 0, sizeof once); /* what dbm.h says by itself: SAVEPOINT and its like; they have no values */
    if (!odbc_ok(SQLAllocHandle(SQL_HANDLE_STMT, k->dbc, &once.h))) return odbc_fail(c, op, SQL_HANDLE_DBC, k->dbc);
    status = odbc_send(c, op, &once, true);
    if (status == DBM_OK) status = odbc_result(c, op, once.h, true);
    if (status != DBM_OK) SQLFreeHandle(SQL_HANDLE_STMT, once.h);
    return status;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------------------------------- */

static bool odbc_room(dbm_database *db, void *block, size_t *room, size_t need, size_t unit) {
    void **p = (void **)block, *moved;
    size_t more = *room != 0 ? *room : 256;
    if (need <= *room) return true;
    while (more < need) more *= 2;
    moved = dbm_adapter_resize(db, *p, more * unit);
    if (moved == NULL) return false;
    *p = moved;
    *room = more;
    return true;
}

/* A value of any length, in pieces. `unit` is the size of a character, and of the NUL that the driver puts behind each piece; 0: bytes. */
static dbm_status odbc_long(dbm_connection *c, dbm_op *op, SQLHSTMT h, int i, bool wide, char **block, size_t *used, size_t *room, bool *null) {
    odbc_connection *k = odbc_of(c);
    size_t unit = wide ? sizeof(SQLWCHAR) : 1, chunk = ODBC_CHUNK;
    for (;;) {
        SQLLEN left = 0;
        SQLRETURN rc;
        size_t got;
        if (!odbc_room(k->db, block, room, *used + chunk, 1)) return DBM_E_NOMEM;
        chunk = (*room - *used) / unit * unit;
        rc = SQLGetData(h, (SQLUSMALLINT)(i + 1), wide ? SQL_C_WCHAR : SQL_C_BINARY, *block + *used, (SQLLEN)chunk, &left);
        if (rc == SQL_NO_DATA) return DBM_OK;
        if (!odbc_ok(rc)) return odbc_fail(c, op, SQL_HANDLE_STMT, h);
        if (left == SQL_NULL_DATA) {
            *null = true;
            return DBM_OK;
        }
        got = wide ? chunk - unit : chunk;
        if (left != SQL_NO_TOTAL && (size_t)left <= got) {
            *used += (size_t)left;
            return DBM_OK;
        }
        *used += got;
        chunk = left != SQL_NO_TOTAL ? (size_t)left - got + 2 * unit : chunk * 2;
    }
}

static dbm_status odbc_cell_read(dbm_connection *c, dbm_op *op, odbc_rows *rows, odbc_row *row, int i) {
    odbc_connection *k = odbc_of(c);
    odbc_cell *cell = &row->cells[i];
    odbc_kind kind = rows->columns[i].kind;
    SQLUSMALLINT number = (SQLUSMALLINT)(i + 1);
    SQLLEN size = 0;
    SQLRETURN rc = SQL_SUCCESS;
    unsigned char bit = 0;
    bool null = false;
    dbm_status status = DBM_OK;
    cell->at = row->used;
    cell->value = dbm_null();
    if (kind == ODBC_INT) {
        SQLBIGINT x = 0;
        rc = SQLGetData(rows->h, number, SQL_C_SBIGINT, &x, sizeof x, &size);
        cell->value = dbm_int(x);
    } else if (kind == ODBC_UINT) {
        SQLUBIGINT x = 0;
        rc = SQLGetData(rows->h, number, SQL_C_UBIGINT, &x, sizeof x, &size);
        cell->value = dbm_uint(x);
    } else if (kind == ODBC_DOUBLE) {
        SQLDOUBLE x = 0.0;
        rc = SQLGetData(rows->h, number, SQL_C_DOUBLE, &x, sizeof x, &size);
        cell->value = dbm_double(x);
    } else if (kind == ODBC_BOOL) {
        rc = SQLGetData(rows->h, number, SQL_C_BIT, &bit, sizeof bit, &size);
        cell->value = dbm_bool(bit != 0);
    } else if (kind == ODBC_BLOB) {
        status = odbc_long(c, op, rows->h, i, false, &row->bytes, &row->used, &row->room, &null);
        cell->value.type = DBM_TYPE_BLOB;
    } else {
        size_t wide = 0, units;
        status = odbc_long(c, op, rows->h, i, true, (char **)(void *)&k->wide, &wide, &k->wide_room, &null);
        units = wide / sizeof(SQLWCHAR);
        if (status == DBM_OK && !odbc_room(k->db, &row->bytes, &row->room, row->used + 3 * units + 1, 1)) status = DBM_E_NOMEM;
        if (status != DBM_OK) return status;
        row->used += odbc_narrow(k->wide, units, row->bytes + row->used);
        cell->value.type = kind == ODBC_DECIMAL ? DBM_TYPE_DECIMAL : kind == ODBC_UUID ? DBM_TYPE_UUID : DBM_TYPE_TEXT;
        if (kind == ODBC_TIMESTAMP) { /* "infinity" and the like stay texts */
            int64_t us;
            if (dbm_adapter_timestamp(row->bytes + cell->at, row->used - cell->at, &us)) cell->value = dbm_timestamp(us);
        }
    }
    if (!odbc_ok(rc)) return odbc_fail(c, op, SQL_HANDLE_STMT, rows->h);
    if (status != DBM_OK) return status;
    if (null || size == SQL_NULL_DATA) cell->value = dbm_null();
    cell->value.as.text.size = cell->value.type >= DBM_TYPE_TEXT && cell->value.type != DBM_TYPE_TIMESTAMP ? row->used - cell->at : cell->value.as.text.size;
    if (!odbc_room(k->db, &row->bytes, &row->room, row->used + 1, 1)) return DBM_E_NOMEM;
    row->bytes[row->used++] = 0;
    return DBM_OK;
}

/* The next row of the cursor: into `*row`, which is made when it is NULL. */
static dbm_status odbc_row_read(dbm_connection *c, dbm_op *op, odbc_rows *rows, odbc_row **row) {
    odbc_connection *k = odbc_of(c);
    dbm_status status = DBM_OK;
    SQLRETURN rc;
    int i;
    if (rows->done) return DBM_DONE;
    odbc_begin(k, rows->h);
    rc = SQLFetch(rows->h);
    odbc_end(k);
    if (rc == SQL_NO_DATA) {
        rows->done = true;
        SQLFreeStmt(rows->h, SQL_CLOSE);
        return DBM_DONE;
    }
    if (!odbc_ok(rc)) return odbc_fail(c, op, SQL_HANDLE_STMT, rows->h);
    if (*row == NULL) {
        *row = (odbc_row *)dbm_adapter_alloc(k->db, sizeof **row + (size_t)rows->count * sizeof (*row)->cells[0]);
        if (*row == NULL) return DBM_E_NOMEM;
        memset(*row, 0, sizeof **row);
    }
    (*row)->used = 0;
    for (i = 0; i < rows->count && status == DBM_OK; i++) status = odbc_cell_read(c, op, rows, *row, i); /* in order: few drivers can do otherwise */
    return status;
}

static dbm_status odbc_fetch(dbm_connection *c, dbm_op *op) {
    odbc_rows *rows = (odbc_rows *)op->result;
    odbc_row *next = rows->held;
    if (next == NULL) return odbc_row_read(c, op, rows, &rows->now);
    odbc_row_free(odbc_of(c), rows->now);
    rows->held = next->next;
    next->next = NULL;
    rows->now = next;
    return DBM_OK;
}

/* Another statement is about to run: the rest of the rows is put aside; the one in hand stays where it is. */
static dbm_status odbc_hold(dbm_connection *c, dbm_op *op) {
    odbc_rows *rows = (odbc_rows *)op->result;
    size_t size = 0;
    for (;;) {
        odbc_row *row = NULL;
        dbm_status status = odbc_row_read(c, op, rows, &row);
        if (status != DBM_OK) {
            odbc_row_free(odbc_of(c), row);
            return status == DBM_DONE ? DBM_OK : status;
        }
        if (rows->held == NULL) rows->held = row;
        else rows->last->next = row;
        rows->last = row;
        size += row->room + sizeof *row + (size_t)rows->count * sizeof row->cells[0];
        if (size > op->row_buffer) return dbm_adapter_fail(c, DBM_E_LIMIT, NULL, 0, "the rows are larger than row_buffer");
    }
}

static dbm_status odbc_column_value(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    const odbc_row *row = ((odbc_rows *)op->result)->now;
    (void)c;
    *out = row->cells[i].value;
    if (out->type >= DBM_TYPE_TEXT && out->type != DBM_TYPE_TIMESTAMP) out->as.text.data = row->bytes + row->cells[i].at;
    return DBM_OK;
}
static const char *odbc_column_name(dbm_connection *c, dbm_op *op, int i) { (void)c; return ((odbc_rows *)op->result)->columns[i].name; }

/* ---- transactions ------------------------------------------------------------------------------------------------------------------------------------- */

static dbm_status odbc_set(dbm_connection *c, const dbm_op *op, SQLINTEGER attribute, SQLUINTEGER value) {
    odbc_connection *k = odbc_of(c);
    return odbc_ok(SQLSetConnectAttr(k->dbc, attribute, (SQLPOINTER)(uintptr_t)value, SQL_IS_UINTEGER)) ? DBM_OK : odbc_fail(c, op, SQL_HANDLE_DBC, k->dbc);
}

static dbm_status odbc_begin_transaction(dbm_connection *c, dbm_op *op) {
    static const SQLUINTEGER levels[] = { 0, SQL_TXN_READ_UNCOMMITTED, SQL_TXN_READ_COMMITTED, SQL_TXN_REPEATABLE_READ, SQL_TXN_SERIALIZABLE };
    odbc_connection *k = odbc_of(c);
    SQLUINTEGER level = op->isolation >= DBM_READ_UNCOMMITTED && op->isolation <= DBM_SERIALIZABLE ? levels[op->isolation] : k->usual;
    dbm_status status = DBM_OK;
    if (level != k->isolation) status = odbc_set(c, op, SQL_ATTR_TXN_ISOLATION, level);
    if (status == DBM_OK) k->isolation = level;
    return status == DBM_OK ? odbc_set(c, op, SQL_ATTR_AUTOCOMMIT, SQL_AUTOCOMMIT_OFF) : status; /* the driver begins with the first statement */
}

static dbm_status odbc_end_transaction(dbm_connection *c, dbm_op *op, SQLSMALLINT how) {
    odbc_connection *k = odbc_of(c);
    if (!odbc_ok(SQLEndTran(SQL_HANDLE_DBC, k->dbc, how))) return odbc_fail(c, op, SQL_HANDLE_DBC, k->dbc);
    if (how == SQL_COMMIT ? k->forgets_commit : k->forgets_rollback) k->endings++;
    return odbc_set(c, op, SQL_ATTR_AUTOCOMMIT, SQL_AUTOCOMMIT_ON);
}

static dbm_status odbc_ping(dbm_connection *c, dbm_op *op) {
    const char *sql = dbm_adapter_option(dbm_adapter_database(c), "ping_sql");
    dbm_prepared none;
    dbm_status status;
    memset(&none, 0, sizeof none);
    op->prepared = &none;
    op->sql = sql != NULL ? sql : "SELECT 1";
    op->sql_size = strlen(op->sql);
    status = odbc_run(c, op);
    odbc_rows_free(odbc_of(c), (odbc_rows *)op->result);
    op->result = NULL;
    op->prepared = NULL;
    return status;
}

static dbm_status odbc_execute(dbm_connection *c, dbm_op *op) {
    switch (op->kind) {
    case DBM_OP_BEGIN: return odbc_begin_transaction(c, op);
    case DBM_OP_COMMIT: return odbc_end_transaction(c, op, SQL_COMMIT);
    case DBM_OP_ROLLBACK: return odbc_end_transaction(c, op, SQL_ROLLBACK);
    case DBM_OP_PREPARE: return odbc_prepare(c, op);
    case DBM_OP_UNPREPARE: odbc_unprepare(c, op); return DBM_OK;
    case DBM_OP_EXECUTE: return odbc_run(c, op);
    case DBM_OP_HOLD: return odbc_hold(c, op);
    case DBM_OP_FINISH: odbc_rows_free(odbc_of(c), (odbc_rows *)op->result); return DBM_OK;
    case DBM_OP_NATIVE: op->native = odbc_of(c)->dbc; return DBM_OK;
    default: return DBM_E_UNSUPPORTED; /* savepoints are then said in SQL; a connection that would be reset is replaced */
    }
}

static const dbm_adapter odbc_adapter = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "odbc", .options = "ping_sql",
    .flags = DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS | DBM_ADAPTER_SOCKET | DBM_ADAPTER_ONE_RESULT, .placeholders = DBM_PH_QUESTION,
    .init = odbc_init, .close = odbc_close, .connect = odbc_connect, .disconnect = odbc_disconnect, .alive = odbc_alive, .ping = odbc_ping,
    .cancel = odbc_cancel, .execute = odbc_execute, .fetch = odbc_fetch, .column = odbc_column_value, .column_name = odbc_column_name,
};

/* ---- the program ---------------------------------------------------------------------------------------------------------------------------------------- */

int main(void) {
    static const char config[] = "[databases.source]\nurl = ${ODBC_URL:-odbc:///?driver=SQLite3&database=odbc.db}\npool_size = 2\nstatement_timeout = 5s\n";
    dbm_manager *mgr = NULL;
    dbm_status rc;
    char name[64];
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_register(mgr, &odbc_adapter) != DBM_OK ||
        dbm_load_text(mgr, config, SIZE_MAX) != DBM_OK || dbm_init_all(mgr) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return dbm_manager_free(mgr), 1;
    }
    DBM_SESSION_RC(mgr, "source", s, &rc) {
        SQLSMALLINT size;
        if (odbc_ok(SQLGetInfo((SQLHDBC)dbm_native(s, "odbc"), SQL_DBMS_NAME, name, sizeof name, &size))) printf("the source is %s\n", name);
        dbm_exec(s, "DROP TABLE IF EXISTS odbc_example");
        dbm_exec(s, "CREATE TABLE odbc_example (id INTEGER PRIMARY KEY, name VARCHAR(60) NOT NULL, price DECIMAL(10,2), sold TIMESTAMP)");
        dbm_exec(s, "INSERT INTO odbc_example VALUES (?, ?, ?, ?)", 1, "Caf\303\251 au lait", dbm_decimal("4.50"), dbm_timestamp(1709210096000000));
        dbm_exec(s, "INSERT INTO odbc_example VALUES (?, ?, ?, ?)", 2, "water", dbm_decimal("0.10"), NULL);
        dbm_exec(s, "UPDATE odbc_example SET price = price * 2 WHERE id < ?", 10);
        printf("rows changed: %d\n", (int)dbm_affected(s));
    }
    printf("the first session: %s\n", dbm_status_name(rc));
    DBM_FAILED(err) fprintf(stderr, "%s\n", err->message);
    DBM_SESSION_RC(mgr, "source", s, &rc) {
        dbm_exec(s, "DELETE FROM odbc_example WHERE id = ?", 1);
        dbm_exec(s, "INSERT INTO odbc_example VALUES (?, ?, ?, ?)", 2, "again", NULL, NULL);
    }
    printf("the second session: %s\n", dbm_status_name(rc));
    DBM_FAILED(err) printf("  why: %s\n", err->message);
    DBM_SESSION_RC(mgr, "source", s, &rc) {
        DBM_EACH(s, row, "SELECT id, name, price, sold FROM odbc_example WHERE id > ? ORDER BY id", 0) {
            printf("%s: %s, sold %s\n", dbm_row_text(row, 1), dbm_row_text(row, 2), dbm_row_is_null(row, 3) ? "never" : dbm_row_text(row, 3));
            dbm_exec(s, "UPDATE odbc_example SET sold = NULL WHERE id = ?", dbm_row_int(row, 0)); /* inside of the loop */
        }
        dbm_exec(s, "DROP TABLE odbc_example");
    }
    DBM_FAILED(err) fprintf(stderr, "%s\n", err->message);
    dbm_manager_free(mgr);
    return rc == DBM_OK ? 0 : 1;
}
