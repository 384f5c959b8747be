/* memcached as a database: an adapter on libmemcached, by the public table (dbm_adapter) alone, and a program that uses it.
 * Pool, sessions, deadlines, health, configuration and errors come from dbm.h; the adapter says how to connect and how to run one statement.
 *     get ? ...            a row for each key that is there: value, key          set ? ? [?]     key, value, seconds to live
 *     delete ?  touch ? ?  as their names say; dbm_affected() is 0 or 1          add, replace    as set, if the key is not, or is there
 *     incr ? ?  decr ? ?   a row with the new number, none when there is no such key
 * The server is that of MEMCACHED_URL, or memcached://127.0.0.1:11211. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_INI
#include "dbm.h"
#include <libmemcached/memcached.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the statements ---------------------------------------------------------------------------------------------------------------- */

typedef enum mc_verb { MC_GET, MC_SET, MC_ADD, MC_REPLACE, MC_DELETE, MC_TOUCH, MC_INCR, MC_DECR } mc_verb;
typedef struct mc_command { const char *word; mc_verb verb; int least, most; bool writes, rows; } mc_command;
static const mc_command mc_commands[] = {
    { "get", MC_GET, 1, 32, false, true },       { "set", MC_SET, 2, 3, true, false },     { "add", MC_ADD, 2, 3, true, false },
    { "replace", MC_REPLACE, 2, 3, true, false }, { "delete", MC_DELETE, 1, 1, true, false }, { "touch", MC_TOUCH, 2, 2, true, false },
    { "incr", MC_INCR, 2, 2, true, true },       { "decr", MC_DECR, 2, 2, true, true },
};

/* The rows of a statement, in one block of memory each; `now` is the row in hand. */
typedef struct mc_item { struct mc_item *next; const char *key; size_t key_size, size; uint64_t number; char value[1]; } mc_item;
typedef struct mc_rows { bool numbers; mc_item *first, *last, *now; } mc_rows;

/* ---- the configuration --------------------------------------------------------------------------------------------------------------- */

/* Called once per database, before its first connection: everything that can be wrong in the configuration is told here. */
static dbm_status mc_init(dbm_database *db) {
    const char *prefix = dbm_adapter_option(db, "key_prefix"), *ttl = dbm_adapter_option(db, "ttl");
    char host[256], *end;
    if (prefix != NULL && strlen(prefix) > 100) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "key_prefix is longer than 100 bytes");
    if (ttl != NULL && (strtol(ttl, &end, 10) < 0 || *ttl == 0 || *end != 0)) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "ttl is no number of seconds");
    if (dbm_adapter_host(db, 1, host, sizeof host, NULL)) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "one server is a database; write a section for each");
    if (!dbm_adapter_host(db, 0, host, sizeof host, NULL)) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "expected url = memcached://host:port");
    return DBM_OK;
}
static void mc_close(dbm_database *db) { (void)db; }

/* ---- errors ------------------------------------------------------------------------------------------------------------------------------ */

/* libmemcached puts an address of its memory before its words, and a line of its source behind them. */
static const char *mc_words(const memcached_st *mc, memcached_return_t rc, char *words, size_t n) {
    const char *text = memcached_last_error_message(mc), *end;
    if (text == NULL || text[0] == 0) return memcached_strerror(mc, rc);
    if (strncmp(text, "(0x", 3) == 0 && (end = strchr(text, ' ')) != NULL) text = end + 1;
    end = strstr(text, " -> ");
    snprintf(words, n, "%.*s", end != NULL ? (int)(end - text) : 400, text);
    return words;
}

/* What libmemcached says, as a status: the one place where the two worlds meet. DBM_OK: it is no error. */
static dbm_status mc_check(dbm_connection *c, memcached_return_t rc, bool connecting) {
    char words[500];
    dbm_status status = DBM_E_SQL;
    switch ((int)rc) {
    case MEMCACHED_SUCCESS: case MEMCACHED_STORED: case MEMCACHED_DELETED: case MEMCACHED_END:
    case MEMCACHED_NOTFOUND: case MEMCACHED_NOTSTORED: case MEMCACHED_DATA_EXISTS: return DBM_OK;
    case MEMCACHED_TIMEOUT: case MEMCACHED_IN_PROGRESS: status = DBM_E_TIMEOUT; break;
    case MEMCACHED_BAD_KEY_PROVIDED: case MEMCACHED_KEY_TOO_BIG: status = DBM_E_RANGE; break;
    case MEMCACHED_E2BIG: status = DBM_E_LIMIT; break;
    case MEMCACHED_MEMORY_ALLOCATION_FAILURE: status = DBM_E_NOMEM; break;
    case MEMCACHED_AUTH_PROBLEM: case MEMCACHED_AUTH_FAILURE: status = DBM_E_AUTH; break;
    case MEMCACHED_CLIENT_ERROR: case MEMCACHED_ERROR: case MEMCACHED_SERVER_ERROR: case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
    case MEMCACHED_INVALID_ARGUMENTS: case MEMCACHED_NOT_SUPPORTED: break;
    default: status = connecting ? DBM_E_CONNECT : DBM_E_LOST; break; /* the socket broke, or what came over it was no answer */
    }
    /* After a time-out the late answer would be taken for that of the next statement. */
    if (status == DBM_E_TIMEOUT) dbm_adapter_broken(c);
    return dbm_adapter_fail(c, status, NULL, (int)rc, mc_words((memcached_st *)dbm_adapter_data(c), rc, words, sizeof words));
}

/* ---- connections --------------------------------------------------------------------------------------------------------------------------- */

/* libmemcached has no deadline, but each of its waits has a limit. */
static void mc_limit(dbm_connection *c, const dbm_op *op) {
    memcached_st *mc = (memcached_st *)dbm_adapter_data(c);
    uint64_t ms = (uint64_t)(int64_t)dbm_adapter_left_ms(c, op);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_POLL_TIMEOUT, ms);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, ms);
}

static dbm_status mc_ping_as(dbm_connection *c, dbm_op *op, bool connecting) {
    memcached_return_t rc;
    size_t size;
    uint32_t flags;
    mc_limit(c, op);
    free(memcached_get((memcached_st *)dbm_adapter_data(c), "dbm.h", 5, &size, &flags, &rc)); /* "not found" is an answer too */
    return mc_check(c, rc, connecting);
}
static dbm_status mc_ping(dbm_connection *c, dbm_op *op) { return mc_ping_as(c, op, false); }

static void mc_disconnect(dbm_connection *c, dbm_disconnect how) {
    /* memcached_free() says `quit`; after a fork that would end the parent's connection, so there it is only forgotten. */
    if (how != DBM_DISCONNECT_FORKED) memcached_free((memcached_st *)dbm_adapter_data(c));
}

static dbm_status mc_connect(dbm_connection *c, dbm_op *op) {
    dbm_database *db = dbm_adapter_database(c);
    const char *prefix = dbm_adapter_option(db, "key_prefix");
    memcached_st *mc = memcached_create(NULL);
    memcached_return_t rc;
    dbm_status status;
    char host[256];
    int port = MEMCACHED_DEFAULT_PORT;
    if (mc == NULL) return DBM_E_NOMEM;
    dbm_adapter_set_data(c, mc);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
    memcached_behavior_set(mc, MEMCACHED_BEHAVIOR_VERIFY_KEY, 1);
    dbm_adapter_host(db, 0, host, sizeof host, &port);
    rc = memcached_server_add(mc, host, (in_port_t)port);
    if (rc == MEMCACHED_SUCCESS && prefix != NULL) rc = memcached_callback_set(mc, MEMCACHED_CALLBACK_NAMESPACE, prefix);
    status = mc_check(c, rc, true);
    if (status == DBM_OK) status = mc_ping_as(c, op, true); /* libmemcached connects when it has something to say */
    if (status == DBM_OK) return DBM_OK;
    memcached_free(mc); /* a connect that fails cleans up behind itself */
    dbm_adapter_set_data(c, NULL);
    return status;
}

/* ---- running statements -------------------------------------------------------------------------------------------------------------------- */

/* PREPARE is where a statement is understood: once for each text and connection, for dbm.h keeps what it finds. */
static dbm_status mc_prepare(dbm_connection *c, dbm_op *op) {
    size_t i, word = strcspn(op->sql, " ");
    if (strspn(op->sql + word, " ?") != op->sql_size - word) {
        return dbm_adapter_fail(c, DBM_E_SQL, NULL, 0, "expected a command and a ? for each of its values, such as: set ? ?");
    }
    for (i = 0; i < sizeof mc_commands / sizeof mc_commands[0]; i++) {
        const mc_command *known = &mc_commands[i];
        if (strlen(known->word) != word || strncmp(known->word, op->sql, word) != 0) continue;
        if (op->prepared->parameters < known->least || op->prepared->parameters > known->most) {
            return dbm_adapter_fail(c, DBM_E_SQL, NULL, 0, "the command has too few or too many values");
        }
        op->prepared->data = (void *)(uintptr_t)known; /* nothing to free: no UNPREPARE */
        op->prepared->writes = known->writes;
        op->prepared->returns_rows = known->rows;
        return DBM_OK;
    }
    return dbm_adapter_fail(c, DBM_E_SQL, NULL, 0, "there is no such command; there are get, set, add, replace, delete, touch, incr, decr");
}

static void mc_drop(dbm_database *db, mc_rows *rows) {
    while (rows != NULL && rows->first != NULL) {
        mc_item *next = rows->first->next;
        dbm_adapter_free(db, rows->first);
        rows->first = next;
    }
    dbm_adapter_free(db, rows);
}

static bool mc_add(dbm_database *db, mc_rows *rows, const char *key, size_t key_size, const char *value, size_t size, uint64_t number) {
    mc_item *item = (mc_item *)dbm_adapter_alloc(db, sizeof *item + size + key_size + 1);
    if (item == NULL) return false;
    memcpy(item->value, value, size);
    memcpy(item->value + size + 1, key, key_size);
    item->value[size] = item->value[size + 1 + key_size] = 0; /* texts of rows end with a NUL */
    item->key = item->value + size + 1;
    item->key_size = key_size;
    item->size = size;
    item->number = number;
    item->next = NULL;
    if (rows->last != NULL) rows->last->next = item;
    else rows->first = item;
    rows->last = item;
    return true;
}

/* All keys in one round trip. The rows are read to the end at once, so that the connection is free for the next statement. */
static dbm_status mc_get(dbm_connection *c, dbm_op *op, mc_rows *rows) {
    memcached_st *mc = (memcached_st *)dbm_adapter_data(c);
    const char *keys[32];
    size_t sizes[32];
    memcached_result_st *got;
    memcached_return_t rc;
    dbm_status status;
    bool memory = true;
    int i;
    for (i = 0; i < op->value_count; i++) {
        keys[i] = op->values[i].as.text.data;
        sizes[i] = op->values[i].as.text.size;
    }
    rc = memcached_mget(mc, keys, sizes, (size_t)op->value_count);
    if ((status = mc_check(c, rc, false)) != DBM_OK) return status;
    while ((got = memcached_fetch_result(mc, NULL, &rc)) != NULL) {
        memory = memory && mc_add(dbm_adapter_database(c), rows, memcached_result_key_value(got), memcached_result_key_length(got),
                                  memcached_result_value(got), memcached_result_length(got), 0);
        memcached_result_free(got);
    }
    if ((status = mc_check(c, rc, false)) != DBM_OK) return status;
    return memory ? DBM_OK : DBM_E_NOMEM;
}

/* incr and decr take a number that isn't negative. */
static dbm_status mc_count(dbm_connection *c, dbm_op *op, mc_verb verb, mc_rows *rows) {
    memcached_st *mc = (memcached_st *)dbm_adapter_data(c);
    const dbm_value *key = &op->values[0], *by = &op->values[1];
    uint64_t number = 0, offset = by->type == DBM_TYPE_UINT ? by->as.uinteger : (uint64_t)by->as.integer;
    memcached_return_t rc;
    dbm_status status;
    if ((by->type != DBM_TYPE_INT || by->as.integer < 0) && by->type != DBM_TYPE_UINT) {
        return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "incr and decr take a whole number that is not negative");
    }
    if (offset > UINT32_MAX) return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "the number does not fit 32 bits");
    rc = verb == MC_INCR ? memcached_increment(mc, key->as.text.data, key->as.text.size, (uint32_t)offset, &number)
                         : memcached_decrement(mc, key->as.text.data, key->as.text.size, (uint32_t)offset, &number);
    if ((status = mc_check(c, rc, false)) != DBM_OK) return status;
    op->affected = rc == MEMCACHED_NOTFOUND ? 0 : 1;
    if (rc == MEMCACHED_NOTFOUND) return DBM_OK;
    return mc_add(dbm_adapter_database(c), rows, key->as.text.data, key->as.text.size, "", 0, number) ? DBM_OK : DBM_E_NOMEM;
}

static dbm_status mc_change(dbm_connection *c, dbm_op *op, mc_verb verb) {
    memcached_st *mc = (memcached_st *)dbm_adapter_data(c);
    const char *key = op->values[0].as.text.data, *ttl = dbm_adapter_option(dbm_adapter_database(c), "ttl"), *value = NULL;
    size_t key_size = op->values[0].as.text.size, size = 0;
    const dbm_value *seconds = verb == MC_TOUCH ? &op->values[1] : op->value_count == 3 ? &op->values[2] : NULL;
    time_t until = ttl != NULL ? (time_t)strtol(ttl, NULL, 10) : 0;
    char number[64];
    memcached_return_t rc = MEMCACHED_INVALID_ARGUMENTS;
    dbm_status status;
    if (seconds != NULL && (seconds->type != DBM_TYPE_INT || seconds->as.integer < 0 || seconds->as.integer > INT32_MAX)) {
        return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "the time to live is a number of seconds");
    }
    if (seconds != NULL) until = (time_t)seconds->as.integer;
    if (verb == MC_SET || verb == MC_ADD || verb == MC_REPLACE) {
        if (op->values[1].type == DBM_TYPE_NULL) return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "a value can't be NULL");
        value = dbm_adapter_text(&op->values[1], number, &size);
    }
    if (verb == MC_SET) rc = memcached_set(mc, key, key_size, value, size, until, 0);
    else if (verb == MC_ADD) rc = memcached_add(mc, key, key_size, value, size, until, 0);
    else if (verb == MC_REPLACE) rc = memcached_replace(mc, key, key_size, value, size, until, 0);
    else if (verb == MC_DELETE) rc = memcached_delete(mc, key, key_size, 0);
    else if (verb == MC_TOUCH) rc = memcached_touch(mc, key, key_size, until);
    status = mc_check(c, rc, false);
    op->affected = rc == MEMCACHED_NOTFOUND || rc == MEMCACHED_NOTSTORED || rc == MEMCACHED_DATA_EXISTS ? 0 : 1;
    return status;
}

static dbm_status mc_run(dbm_connection *c, dbm_op *op) {
    const mc_command *command = (const mc_command *)op->prepared->data;
    dbm_database *db = dbm_adapter_database(c);
    mc_rows *rows = NULL;
    dbm_status status;
    int i, keys = command->verb == MC_GET ? op->value_count : 1;
    for (i = 0; i < keys; i++) {
        if (op->values[i].type != DBM_TYPE_TEXT && op->values[i].type != DBM_TYPE_BLOB) return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "a key is a text");
    }
    mc_limit(c, op);
    if (!command->rows) return mc_change(c, op, command->verb);
    rows = (mc_rows *)dbm_adapter_alloc(db, sizeof *rows);
    if (rows == NULL) return DBM_E_NOMEM;
    memset(rows, 0, sizeof *rows);
    rows->numbers = command->verb != MC_GET;
    status = command->verb == MC_GET ? mc_get(c, op, rows) : mc_count(c, op, command->verb, rows);
    if (status != DBM_OK) {
        mc_drop(db, rows);
        return status;
    }
    op->result = rows; /* dbm.h calls FINISH for it, however the reading ends */
    op->columns = 2;
    return DBM_OK;
}

static dbm_status mc_execute(dbm_connection *c, dbm_op *op) {
    switch (op->kind) {
    case DBM_OP_PREPARE: return mc_prepare(c, op);
    case DBM_OP_EXECUTE: return mc_run(c, op);
    case DBM_OP_HOLD: return DBM_OK; /* the rows are ours already */
    case DBM_OP_FINISH: mc_drop(dbm_adapter_database(c), (mc_rows *)op->result); return DBM_OK;
    case DBM_OP_NATIVE: op->native = dbm_adapter_data(c); return DBM_OK; /* dbm_native(s, "memcached") is the memcached_st */
    default: return DBM_E_UNSUPPORTED; /* dbm.h does without, or says that it can't be done */
    }
}

static dbm_status mc_fetch(dbm_connection *c, dbm_op *op) {
    mc_rows *rows = (mc_rows *)op->result;
    (void)c;
    rows->now = rows->now == NULL ? rows->first : rows->now->next;
    return rows->now != NULL ? DBM_OK : DBM_DONE;
}
static dbm_status mc_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    const mc_rows *rows = (const mc_rows *)op->result;
    (void)c;
    if (i == 1) *out = dbm_textn(rows->now->key, rows->now->key_size);
    else if (rows->numbers) *out = dbm_uint(rows->now->number);
    else *out = dbm_textn(rows->now->value, rows->now->size);
    return DBM_OK;
}
static const char *mc_column_name(dbm_connection *c, dbm_op *op, int i) { (void)c; (void)op; return i == 0 ? "value" : "key"; }

/* Without DBM_ADAPTER_TRANSACTIONS each statement stands alone, also in a session. DBM_ADAPTER_SOCKET: connections can die unseen, so one that
 * was idle for a second is pinged before it is handed out. */
static const dbm_adapter memcached_adapter = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "memcached", .options = "key_prefix,ttl",
    .flags = DBM_ADAPTER_SOCKET, .placeholders = DBM_PH_QUESTION, .lexer = DBM_LEX_NOT_SQL,
    .init = mc_init, .close = mc_close, .connect = mc_connect, .disconnect = mc_disconnect, .ping = mc_ping,
    .execute = mc_execute, .fetch = mc_fetch, .column = mc_column, .column_name = mc_column_name,
};

/* ---- the program ------------------------------------------------------------------------------------------------------------------------------ */

static void print_health(void *ud, const dbm_health_info *info) {
    (void)ud;
    printf("health of %s (%s): %s%s%s\n", info->name, info->type, dbm_status_name(info->status), info->message[0] != 0 ? ": " : "", info->message);
}

int main(void) {
    static const char config[] =
        "[databases.cache]\n"
        "url = ${MEMCACHED_URL:-memcached://127.0.0.1:11211}\n"
        "pool_size = 4\n"
        "connect_timeout = 2s\n"
        "statement_timeout = 500ms\n" /* a cache that is slow is none */
        "key_prefix = example:\n"     /* a key of the adapter's own, and so is the next one */
        "ttl = 3600\n";
    dbm_manager *mgr = NULL;
    dbm_stats_info stats;
    dbm_status rc;
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_register(mgr, &memcached_adapter) != DBM_OK ||
        dbm_load_text(mgr, config, SIZE_MAX) != DBM_OK || dbm_init_all(mgr) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return dbm_manager_free(mgr), 1;
    }
    DBM_SESSION_RC(mgr, "cache", s, &rc) {
        dbm_row *row;
        dbm_exec(s, "set ? ?", "user:1", "Ada Lovelace");
        dbm_exec(s, "set ? ? ?", "user:2", "Grace Hopper", 60);
        dbm_exec(s, "set ? ?", "visits", 41);
        if (dbm_query_one(s, &row, "incr ? ?", "visits", 1) == DBM_OK) printf("visits: %d\n", (int)dbm_row_int(row, 0));
        DBM_EACH(s, each, "get ? ? ?", "user:1", "user:2", "user:3") printf("%s is %s\n", dbm_row_text(each, 1), dbm_row_text(each, 0));
        dbm_exec(s, "delete ?", "user:2");
        if (dbm_query_one(s, &row, "get ?", "user:2") == DBM_E_NOT_FOUND) printf("user:2 is not cached any more\n");
    }
    printf("the session: %s\n", dbm_status_name(rc));

    DBM_SESSION_RC(mgr, "cache", s, &rc) dbm_exec(s, "steal ?", "user:1");
    DBM_FAILED(err) printf("a wrong statement: %s\n", err->message);
    DBM_SESSION_RC(mgr, "cache", s, &rc) {
        dbm_row *row;
        dbm_query_one(s, &row, "incr ? ?", "user:1", 1);
    }
    DBM_FAILED(err) printf("what the server refuses: %s\n", err->message);

    dbm_health(mgr, print_health, NULL);
    dbm_stats(dbm_get(mgr, "cache"), &stats);
    printf("pool: %d of %d connections open, %d sessions\n", stats.open, stats.size, (int)stats.checkouts);
    rc = rc == DBM_E_SQL ? DBM_OK : rc;
    dbm_manager_free(mgr);
    return rc == DBM_OK ? 0 : 1;
}
