/* Redis: one connection and its commands, through hiredis' reader (0.14 to 1.x) on sockets of our own.
 * May call: api/, base/, net/, adapter/ (the clock's host), config/ (a number's text), sql/ (the texts of doubles and timestamps), and hiredis; OpenSSL with DBM_WITH_REDIS_TLS.
 * Must not know: pools, sessions, which commands write, other adapters.
 *
 * A connection is dialled, greeted (AUTH, SELECT, CLIENT SETNAME and PING in one send) and then answers commands. A reply is put away whole, as a list of
 * nodes in the order in which they came, before its command ends: so rows need nothing of the connection any more.
 *
 *     DIAL --> [SHAKE] --> TALK (send what is in `out`, read until the operation has the replies it waits for) --> over
 *
 * Commands gather in `out`, and what is to come back for them in `line`. What is read stays as it came, in `raw`, where only the ends of the replies
 * are looked for; each is parsed when it is received, by hiredis where it is more than a plain text or number. An array that nothing else stands in line
 * with goes to hiredis straight.
 *
 *     line:  [answered, their replies in raw ... | unanswered ...]     raw:  [whole replies ... | the rest of what was read]
 *
 * No command is added while more than a batch is unsent, or too many are unanswered: until then what comes is read as well as sent, so that neither side waits
 * for the other.
 *
 * What a session leaves behind is known by the names of its commands: MULTI and WATCH are undone, SELECT too, all else costs the connection.
 * A connection that listens has no line: what comes is a message, kept in `news`, or the answer to the one command that was sent. */
#include "adapters.h"
#include "../adapter/adapter.h"
#include "../config/config.h"
#include "../net/net.h"
#include "../sql/sql.h"
#if DBM_HAS_REDIS
#if defined(__has_include)
#  if !__has_include(<hiredis/hiredis.h>)
#    define DBM__REDIS_MISSING 1
#  elif DBM_HAS_REDIS_TLS
#    if !__has_include(<hiredis/hiredis_ssl.h>) || !__has_include(<openssl/ssl.h>)
#      define DBM__REDIS_TLS_MISSING 1
#    endif
#  endif
#endif
#if defined(DBM__REDIS_MISSING)
#  error "dbm: DBM_WITH_REDIS needs hiredis/hiredis.h: install libhiredis-dev (Debian), hiredis-dev (Alpine), hiredis (macOS, vcpkg), or put it on the include path"
#elif defined(DBM__REDIS_TLS_MISSING)
#  error "dbm: DBM_WITH_REDIS_TLS needs hiredis/hiredis_ssl.h (hiredis 1.0 or newer, built with USE_SSL=1) and openssl/ssl.h: install them, or leave it undefined"
#else
#include <hiredis/hiredis.h>
#if DBM_HAS_REDIS_TLS
#  include <hiredis/hiredis_ssl.h>
#  include <openssl/err.h>
#  include <openssl/ssl.h>
#  include <openssl/x509v3.h>
#  if !defined(_WIN32)
#    include <errno.h>
#    include <signal.h>
#  endif
#endif

#define DBM__REDIS_OPTIONS "db,client_name"
#define DBM__REDIS_KEPT ((size_t)65536) /* what a buffer may keep between two commands */
#define DBM__REDIS_BATCH ((size_t)16384) /* of commands that wait for nothing: then they are sent */
#define DBM__REDIS_READ ((size_t)16384) /* room for what is read at once */
enum { DBM__REDIS_UNANSWERED = 4096 };  /* at most, until half of them are answered */

/* ---- what it keeps ------------------------------------------------------------------------------------------------ */

/* Of a database, for all its connections. */
typedef struct dbm__redis_base {
    const char *hosts;        /* NULL: path */
    char *path;
    const char *client_name;  /* or NULL */
    int64_t number;           /* of the database */
    bool secure;              /* rediss:// */
#if DBM_HAS_REDIS_TLS
    SSL_CTX *tls;             /* made when first wanted */
    dbm__lock lock;
#endif
} dbm__redis_base;

enum { DBM__REDIS_NIL, DBM__REDIS_INTEGER, DBM__REDIS_BOOL, DBM__REDIS_TEXT, DBM__REDIS_STATUS, DBM__REDIS_NUMBER, DBM__REDIS_ERROR, DBM__REDIS_ARRAY,
       DBM__REDIS_MAP, DBM__REDIS_BLOB }; /* NUMBER: a double, or one too big for an integer, as text; BLOB: a TEXT that was seen to be none */
typedef struct dbm__redis_node {
    int kind;
    size_t size;              /* bytes; of an array its elements, of a map too (keys and values) */
    union { size_t at; int64_t integer; } is;
} dbm__redis_node;

typedef struct dbm__redis_reply {
    struct dbm__redis_reply *next;  /* spare */
    struct dbm__redis_reply *older; /* of all of the connection */
    dbm__redis_node *nodes;
    size_t count, capacity;
    char *bytes;
    size_t size, room;
    size_t error;             /* the first node that is an error, from 1 */
    bool no_memory;
    bool rows;                /* an array: a row per element, or per two */
    bool pairs;
    const char *names[2];
    size_t at, left;          /* the row in hand; elements behind it */
    char *json;               /* nested values of the row in hand */
    size_t json_size, json_room, json_row;
    size_t json_at[2];
} dbm__redis_reply;

/* What a command's name says about what it does to the connection. */
typedef enum dbm__redis_kind {
    DBM__REDIS_PLAIN, DBM__REDIS_MULTI, DBM__REDIS_EXEC, DBM__REDIS_DISCARD, DBM__REDIS_WATCH, DBM__REDIS_UNWATCH, DBM__REDIS_SELECT,
    DBM__REDIS_CLIENT, DBM__REDIS_CHANGES, DBM__REDIS_REFUSED
} dbm__redis_kind;
enum { DBM__REDIS_SINGLE, DBM__REDIS_FIELDS, DBM__REDIS_SCORES }; /* what a flat array is, by the command: values, or pairs of two sorts */
static const struct { const char *name; dbm__redis_kind kind; } dbm__redis_names[] = {
    { "MULTI", DBM__REDIS_MULTI }, { "EXEC", DBM__REDIS_EXEC }, { "DISCARD", DBM__REDIS_DISCARD }, { "WATCH", DBM__REDIS_WATCH },
    { "UNWATCH", DBM__REDIS_UNWATCH }, { "SELECT", DBM__REDIS_SELECT }, { "CLIENT", DBM__REDIS_CLIENT }, { "AUTH", DBM__REDIS_CHANGES },
    { "READONLY", DBM__REDIS_CHANGES }, { "READWRITE", DBM__REDIS_CHANGES }, { "ASKING", DBM__REDIS_CHANGES }, { "RESET", DBM__REDIS_CHANGES },
    { "SUBSCRIBE", DBM__REDIS_REFUSED }, { "PSUBSCRIBE", DBM__REDIS_REFUSED },
    { "SSUBSCRIBE", DBM__REDIS_REFUSED }, { "UNSUBSCRIBE", DBM__REDIS_REFUSED }, { "PUNSUBSCRIBE", DBM__REDIS_REFUSED }, { "SUNSUBSCRIBE", DBM__REDIS_REFUSED },
    { "MONITOR", DBM__REDIS_REFUSED }, { "SYNC", DBM__REDIS_REFUSED }, { "PSYNC", DBM__REDIS_REFUSED }, { "REPLCONF", DBM__REDIS_REFUSED },
    { "HELLO", DBM__REDIS_REFUSED }, { "QUIT", DBM__REDIS_REFUSED }
};

/* The first letters of these names, and of commands whose array is one of pairs, by their place in the alphabet: ACDEHMPQRSUWZ. */
#define DBM__REDIS_INITIALS UINT32_C(0x257909D)

enum { DBM__REDIS_DIAL, DBM__REDIS_SHAKE, DBM__REDIS_TALK };
enum { DBM__REDIS_IDLE = 0, DBM__REDIS_BUSY, DBM__REDIS_CANCELLING, DBM__REDIS_CANCELLED };

/* A command of the pipeline: what was sent, and what is known of its reply. */
typedef struct dbm__redis_asked {
    const char *site;
    size_t size;              /* of its reply in raw */
    int64_t wanted;
    unsigned char command, pairs;
    unsigned char head;       /* not 0: its reply is a text behind so many bytes, complete with its end */
    char greeting;            /* what was sent at connect: a, s, n, p, the last one for any PING */
    bool writes, queued;
} dbm__redis_asked;

typedef struct dbm__redis {
    dbm_connection *connection;
    dbm_database *db;
    const dbm__redis_base *base;
    int fd;
    int phase;
    dbm__word busy;           /* whether an operation runs, for cancel, which comes from any thread */
    char *out;                /* what is to be sent */
    size_t out_size, out_sent, out_room;
    bool sent_now;            /* all of it, in this very step: an answer can't be there yet */
    bool done;                /* the operation is; a cancel on its way has to be waited for */
    redisReader *reader;
    redisReplyObjectFunctions functions;
    dbm__redis_reply *building, *spare, *all;
    dbm__redis_kind command;  /* what is running */
    int pairs;                /* what its reply is, when it is an array */
    bool multi, watching, queued_writes, changed;
    int64_t number, wanted;   /* the database selected now; by the SELECT that is running */
    dbm__redis_asked *line;    /* a ring, its room a power of two */
    size_t line_room, line_first, line_count;
    size_t unanswered;        /* the last ones of it */
    bool draining;            /* there were too many */
    bool straight;            /* an array is on its way to hiredis */
    char *raw;
    size_t raw_at, raw_size, raw_room;
    size_t scanned;           /* in raw: whole replies and the elements behind them end here */
    size_t begun;             /* where the reply begins that is being looked at, or was last */
    uint64_t open;            /* elements of it that are still to come */
    bool listening;
    int confirm;              /* answers that are to come for what it listens to */
    dbm__redis_reply *news, **news_end, *told; /* messages, oldest first; the one handed out last */
    dbm_notification notification;
    dbm__dial dial;
#if DBM_HAS_REDIS_TLS
    redisContext *context;
    SSL *ssl;                 /* of context, once there is one */
#endif
} dbm__redis;

static dbm_status dbm__redis_no_memory(dbm_connection *c) { return dbm_adapter_fail(c, DBM_E_NOMEM, NULL, 0, "out of memory"); }

/* Room for `more` bytes behind `size`; false without memory. */
static DBM__NOINLINE bool dbm__redis_more(dbm_database *db, char **block, size_t *room, size_t size, size_t more) {
    size_t want;
    char *bigger;
    if (more > SIZE_MAX / 4 - size) return false;
    want = size + more < 1000 ? 1024 : (size + more) + (size + more) / 2;
    bigger = (char *)dbm_adapter_resize(db, *block, want);
    if (bigger == NULL) return false;
    *block = bigger;
    *room = want;
    return true;
}

DBM__INLINE bool dbm__redis_room(dbm_database *db, char **block, size_t *room, size_t size, size_t more) {
    return DBM__LIKELY(*room - size >= more) || dbm__redis_more(db, block, room, size, more);
}

static void dbm__redis_shrink(dbm_database *db, char **block, size_t *room) {
    if (*room <= DBM__REDIS_KEPT) return;
    dbm_adapter_free(db, *block);
    *block = NULL;
    *room = 0;
}

/* ---- replies: what the reader builds -------------------------------------------------------------------------------- */

static dbm__redis_reply *dbm__redis_reply_new(dbm__redis *r) {
    dbm__redis_reply *reply = r->spare;
    if (DBM__LIKELY(reply != NULL)) {
        r->spare = reply->next;
        return reply;
    }
    reply = (dbm__redis_reply *)dbm_adapter_alloc(r->db, sizeof *reply);
    if (reply == NULL) return NULL;
    memset(reply, 0, sizeof *reply);
    reply->older = r->all;
    r->all = reply;
    return reply;
}

static void dbm__redis_reply_spare(dbm__redis *r, dbm__redis_reply *reply) {
    reply->count = reply->size = reply->error = reply->at = reply->left = 0;
    reply->json_size = reply->json_row = 0;
    reply->no_memory = reply->rows = reply->pairs = false;
    if (DBM__UNLIKELY(reply->capacity > DBM__REDIS_KEPT / sizeof *reply->nodes)) {
        dbm_adapter_free(r->db, reply->nodes);
        reply->nodes = NULL;
        reply->capacity = 0;
    }
    if (DBM__UNLIKELY(reply->room > DBM__REDIS_KEPT)) dbm__redis_shrink(r->db, &reply->bytes, &reply->room);
    if (DBM__UNLIKELY(reply->json_room > DBM__REDIS_KEPT)) dbm__redis_shrink(r->db, &reply->json, &reply->json_room);
    reply->next = r->spare;
    r->spare = reply;
}

static dbm__redis_node *dbm__redis_node_new(dbm__redis *r, int kind) {
    dbm__redis_reply *reply = r->building;
    dbm__redis_node *node;
    if (DBM__UNLIKELY(reply->count == reply->capacity)) {
        size_t want = reply->capacity < 16 ? 16 : reply->capacity + reply->capacity / 2;
        dbm__redis_node *bigger = want < SIZE_MAX / sizeof *bigger / 2 ? (dbm__redis_node *)dbm_adapter_resize(r->db, reply->nodes, want * sizeof *bigger) : NULL;
        if (bigger == NULL) {
            reply->no_memory = true;
            return NULL;
        }
        reply->nodes = bigger;
        reply->capacity = want;
    }
    node = &reply->nodes[reply->count++];
    node->kind = kind;
    node->size = 0;
    node->is.integer = 0;
    return node;
}

static void *dbm__redis_text_node(dbm__redis *r, int kind, const char *text, size_t size) {
    dbm__redis_reply *reply = r->building;
    dbm__redis_node *node = dbm__redis_node_new(r, kind);
    if (DBM__UNLIKELY(node == NULL)) return NULL;
    if (DBM__UNLIKELY(size > SIZE_MAX / 8 || !dbm__redis_room(r->db, &reply->bytes, &reply->room, reply->size, size + 1))) {
        reply->no_memory = true;
        return NULL;
    }
    node->size = size;
    node->is.at = reply->size;
    if (size != 0) memcpy(reply->bytes + reply->size, text, size);
    reply->bytes[reply->size + size] = 0;
    reply->size += size + 1;
    if (kind == DBM__REDIS_ERROR && reply->error == 0) reply->error = reply->count;
    return reply;
}

static void *dbm__redis_string(const redisReadTask *task, char *text, size_t size) {
    dbm__redis *r = (dbm__redis *)task->privdata;
    int kind = DBM__REDIS_TEXT;
    if (task->type == REDIS_REPLY_STATUS) kind = DBM__REDIS_STATUS;
    else if (task->type == REDIS_REPLY_ERROR) kind = DBM__REDIS_ERROR;
#if defined(REDIS_REPLY_BIGNUM)
    else if (task->type == REDIS_REPLY_BIGNUM) kind = DBM__REDIS_NUMBER;
#endif
#if defined(REDIS_REPLY_VERB)
    else if (task->type == REDIS_REPLY_VERB && size >= 4) return dbm__redis_text_node(r, kind, text + 4, size - 4); /* txt: and mkd: */
#endif
    return dbm__redis_text_node(r, kind, text, size);
}

#if HIREDIS_MAJOR >= 1
static void *dbm__redis_array(const redisReadTask *task, size_t elements) {
#else
static void *dbm__redis_array(const redisReadTask *task, int elements) {
#endif
    dbm__redis_node *node;
    int kind = DBM__REDIS_ARRAY;
#if HIREDIS_MAJOR < 1
    if (elements < 0) return NULL;
#endif
#if defined(REDIS_REPLY_MAP)
    if (task->type == REDIS_REPLY_MAP) kind = DBM__REDIS_MAP; /* elements are keys and values */
#endif
    node = dbm__redis_node_new((dbm__redis *)task->privdata, kind);
    if (node == NULL) return NULL;
    node->size = (size_t)elements;
    return ((dbm__redis *)task->privdata)->building;
}

static void *dbm__redis_number_node(dbm__redis *r, int kind, int64_t value) {
    dbm__redis_node *node = dbm__redis_node_new(r, kind);
    if (DBM__UNLIKELY(node == NULL)) return NULL;
    node->is.integer = value;
    return r->building;
}
static void *dbm__redis_integer(const redisReadTask *task, long long value) { return dbm__redis_number_node((dbm__redis *)task->privdata, DBM__REDIS_INTEGER, value); }
static void *dbm__redis_nil(const redisReadTask *task) { return dbm__redis_number_node((dbm__redis *)task->privdata, DBM__REDIS_NIL, 0); }
#if HIREDIS_MAJOR >= 1
static void *dbm__redis_double(const redisReadTask *task, double value, char *text, size_t size) {
    (void)value;
    return dbm__redis_text_node((dbm__redis *)task->privdata, DBM__REDIS_NUMBER, text, size);
}
static void *dbm__redis_bool(const redisReadTask *task, int value) { return dbm__redis_number_node((dbm__redis *)task->privdata, DBM__REDIS_BOOL, value != 0); }
#endif
static void dbm__redis_forget(void *reply) { (void)reply; } /* it is the connection's */

static void dbm__redis_functions(redisReplyObjectFunctions *f) {
    memset(f, 0, sizeof *f);
    f->createString = dbm__redis_string;
    f->createArray = dbm__redis_array;
    f->createInteger = dbm__redis_integer;
    f->createNil = dbm__redis_nil;
#if HIREDIS_MAJOR >= 1
    f->createDouble = dbm__redis_double;
    f->createBool = dbm__redis_bool;
#endif
    f->freeObject = dbm__redis_forget;
}

/* ---- replies: what rows show ------------------------------------------------------------------------------------------- */

/* The node behind this one and all that is in it. */
static size_t dbm__redis_behind(const dbm__redis_reply *reply, size_t at) {
    size_t open = 1;
    while (open != 0 && at < reply->count) {
        const dbm__redis_node *node = &reply->nodes[at++];
        open--;
        if (node->kind == DBM__REDIS_ARRAY || node->kind == DBM__REDIS_MAP) open += node->size;
    }
    return at;
}

/* Whether bytes are UTF-8 without a NUL: then they are a text. */
static bool dbm__redis_is_text(const char *bytes, size_t size) {
    const unsigned char *c = (const unsigned char *)bytes, *end = c + size;
    if (size >= 8) for (;;) { /* eight of ASCII at once, the last ones once more */
        uint64_t eight;
        memcpy(&eight, c, 8);
        if (((eight | (eight - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) != 0) break;
        if (end - c == 8) return true;
        c = end - c >= 16 ? c + 8 : end - 8;
    }
    while (c < end) {
        unsigned char b = *c;
        int more;
        if (b != 0 && b < 0x80) { c++; continue; }
        more = b >= 0xF0 && b <= 0xF4 ? 3 : b >= 0xE0 && b < 0xF0 ? 2 : b >= 0xC2 && b < 0xE0 ? 1 : 0;
        if (more == 0 || end - c <= more) return false;
        if ((c[1] & 0xC0) != 0x80 || (more > 1 && (c[2] & 0xC0) != 0x80) || (more > 2 && (c[3] & 0xC0) != 0x80)) return false;
        if ((b == 0xE0 && c[1] < 0xA0) || (b == 0xED && c[1] > 0x9F) || (b == 0xF0 && c[1] < 0x90) || (b == 0xF4 && c[1] > 0x8F)) return false;
        c += more + 1;
    }
    return true;
}

typedef struct dbm__redis_json { dbm_database *db; dbm__redis_reply *reply; bool no_memory, deep; } dbm__redis_json;
#define DBM__REDIS_DEPTH 100

static void dbm__redis_json_put(dbm__redis_json *j, const char *text, size_t size) {
    dbm__redis_reply *reply = j->reply;
    if (j->no_memory) return;
    if (size > SIZE_MAX / 8 || !dbm__redis_room(j->db, &reply->json, &reply->json_room, reply->json_size, size + 1)) {
        j->no_memory = true;
        return;
    }
    memcpy(reply->json + reply->json_size, text, size);
    reply->json_size += size;
    reply->json[reply->json_size] = 0;
}

static void dbm__redis_json_base64(dbm__redis_json *j, const unsigned char *c, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i, k;
    dbm__redis_json_put(j, "{\"base64\":\"", 11);
    for (i = 0; i < size; i += 3) {
        unsigned v = (unsigned)c[i] << 16 | (size - i > 1 ? (unsigned)c[i + 1] << 8 : 0u) | (size - i > 2 ? (unsigned)c[i + 2] : 0u);
        char four[4];
        for (k = 0; k < 4; k++) four[k] = k <= size - i ? digits[v >> (18 - 6 * k) & 63u] : '=';
        dbm__redis_json_put(j, four, 4);
    }
    dbm__redis_json_put(j, "\"}", 2);
}

static void dbm__redis_json_text(dbm__redis_json *j, const char *text, size_t size) {
    static const char digits[] = "0123456789abcdef";
    size_t i, from = 0;
    for (i = 0; i < size && (text[i] == 0 || (unsigned char)text[i] < 0x80); i++) {}
    if (i < size) { /* beyond ASCII: it must be UTF-8. A NUL is no reason, JSON can say it */
        for (i = 0; i < size; i++) {
            size_t n = strlen(text + i);
            if (n > size - i) n = size - i;
            if (!dbm__redis_is_text(text + i, n)) {
                dbm__redis_json_base64(j, (const unsigned char *)text, size);
                return;
            }
            i += n;
        }
    }
    dbm__redis_json_put(j, "\"", 1);
    for (i = 0; i < size; i++) {
        unsigned char b = (unsigned char)text[i];
        char escape[6] = { '\\', 'u', '0', '0', '0', '0' };
        if (b >= ' ' && b != '"' && b != '\\') continue;
        dbm__redis_json_put(j, text + from, i - from);
        from = i + 1;
        if (b == '"' || b == '\\') {
            escape[1] = (char)b;
            dbm__redis_json_put(j, escape, 2);
        } else {
            escape[4] = digits[b >> 4];
            escape[5] = digits[b & 15u];
            dbm__redis_json_put(j, escape, 6);
        }
    }
    dbm__redis_json_put(j, text + from, size - from);
    dbm__redis_json_put(j, "\"", 1);
}

/* One node and what is in it; returns the node behind. */
static size_t dbm__redis_json_node(dbm__redis_json *j, size_t at, int depth) { /* NOLINT(misc-no-recursion): DBM__REDIS_DEPTH */
    const dbm__redis_node *node = &j->reply->nodes[at];
    char number[32];
    size_t i, next = at + 1;
    if (depth > DBM__REDIS_DEPTH) {
        j->deep = true;
        return dbm__redis_behind(j->reply, at);
    }
    switch (node->kind) {
    case DBM__REDIS_NIL: dbm__redis_json_put(j, "null", 4); break;
    case DBM__REDIS_BOOL: dbm__redis_json_put(j, node->is.integer != 0 ? "true" : "false", node->is.integer != 0 ? 4 : 5); break;
    case DBM__REDIS_INTEGER:
        dbm__format(number, sizeof number, "%l", node->is.integer);
        dbm__redis_json_put(j, number, strlen(number));
        break;
    case DBM__REDIS_ARRAY:
    case DBM__REDIS_MAP:
        dbm__redis_json_put(j, "[", 1);
        for (i = 0; i < node->size && next < j->reply->count; i++) {
            if (i != 0) dbm__redis_json_put(j, ",", 1);
            next = dbm__redis_json_node(j, next, depth + 1);
            node = &j->reply->nodes[at];
        }
        dbm__redis_json_put(j, "]", 1);
        break;
    default: dbm__redis_json_text(j, j->reply->bytes + node->is.at, node->size); break;
    }
    return next;
}

/* The nested values of the row in hand, all at once, so that none moves another's text. */
static dbm_status dbm__redis_json_write(dbm_connection *c, dbm__redis_reply *reply) {
    dbm__redis_json j;
    size_t at = reply->at;
    int i;
    j.db = dbm_adapter_database(c);
    j.reply = reply;
    j.no_memory = j.deep = false;
    reply->json_size = 0;
    for (i = 0; i < (reply->pairs ? 2 : 1); i++) {
        reply->json_at[i] = reply->json_size;
        if (reply->nodes[at].kind == DBM__REDIS_ARRAY || reply->nodes[at].kind == DBM__REDIS_MAP) {
            (void)dbm__redis_json_node(&j, at, 1);
            dbm__redis_json_put(&j, "", 1);
        }
        at = dbm__redis_behind(reply, at);
    }
    if (j.no_memory) return dbm__redis_no_memory(c);
    if (j.deep) return dbm_adapter_fail(c, DBM_E_LIMIT, NULL, 0, "a value of the reply is nested more than 100 deep");
    reply->json_row = reply->at + 1;
    return DBM_OK;
}

static dbm_status dbm__redis_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    dbm__redis_reply *reply = (dbm__redis_reply *)op->result;
    size_t at = reply->at;
    dbm__redis_node *node;
    if (i == 1) at = dbm__redis_behind(reply, at);
    node = &reply->nodes[at];
    out->name = NULL;
    switch (node->kind) {
    case DBM__REDIS_NIL: *out = dbm_null(); return DBM_OK;
    case DBM__REDIS_INTEGER: *out = dbm_int(node->is.integer); return DBM_OK;
    case DBM__REDIS_BOOL: *out = dbm_bool(node->is.integer != 0); return DBM_OK;
    case DBM__REDIS_ARRAY:
    case DBM__REDIS_MAP:
        if (reply->json_row != reply->at + 1) {
            dbm_status st = dbm__redis_json_write(c, reply);
            if (st != DBM_OK) return st;
        }
        *out = dbm_textn(reply->json + reply->json_at[i], strlen(reply->json + reply->json_at[i]));
        out->type = DBM_TYPE_JSON;
        return DBM_OK;
    case DBM__REDIS_TEXT:
        if (!dbm__redis_is_text(reply->bytes + node->is.at, node->size)) {
            node->kind = DBM__REDIS_BLOB;
            break;
        }
        node->kind = DBM__REDIS_STATUS; /* seen to be a text */
        break;
    default: break;
    }
    *out = dbm_textn(reply->bytes + node->is.at, node->size);
    if (node->kind == DBM__REDIS_BLOB) out->type = DBM_TYPE_BLOB;
    else if (node->kind == DBM__REDIS_NUMBER) out->type = DBM_TYPE_DECIMAL;
    return DBM_OK;
}

static const char *dbm__redis_column_name(dbm_connection *c, dbm_op *op, int i) {
    (void)c;
    return ((const dbm__redis_reply *)op->result)->names[i];
}

/* Makes rows of a reply, and stands on the first. */
static void dbm__redis_show(dbm__redis *r, dbm_op *op, dbm__redis_reply *reply) {
    const dbm__redis_node *root = &reply->nodes[0];
    reply->names[0] = "value";
    reply->names[1] = "";
    reply->rows = root->kind == DBM__REDIS_ARRAY || root->kind == DBM__REDIS_MAP;
    reply->pairs = reply->rows && root->size % 2 == 0 && (root->kind == DBM__REDIS_MAP || r->pairs != DBM__REDIS_SINGLE);
    if (reply->pairs) {
        reply->names[0] = r->pairs == DBM__REDIS_SCORES ? "member" : "field";
        reply->names[1] = r->pairs == DBM__REDIS_SCORES ? "score" : "value";
    }
    reply->at = reply->rows ? 1 : 0;
    reply->left = reply->rows ? root->size : 1;
    op->result = reply;
    op->columns = reply->pairs ? 2 : 1;
    op->row = reply->left != 0;
    if (op->row) reply->left -= (size_t)op->columns;
}

static dbm_status dbm__redis_fetch(dbm_connection *c, dbm_op *op) {
    dbm__redis_reply *reply = (dbm__redis_reply *)op->result;
    (void)c;
    if (reply == NULL || reply->left == 0) return DBM_DONE;
    reply->at = dbm__redis_behind(reply, reply->at);
    if (reply->pairs) reply->at = dbm__redis_behind(reply, reply->at);
    reply->left -= reply->pairs ? 2 : 1;
    return DBM_OK;
}

/* ---- failures ------------------------------------------------------------------------------------------------------------ */

/* What the first word of an error says, and whether the same may work a little later. */
static const struct { const char *word; dbm_status status; bool retryable; } dbm__redis_errors[] = {
    { "WRONGPASS", DBM_E_AUTH, false }, { "NOAUTH", DBM_E_AUTH, false }, { "NOPERM", DBM_E_AUTH, false }, { "DENIED", DBM_E_AUTH, false },
    { "LOADING", DBM_E_CONNECT, true }, { "MASTERDOWN", DBM_E_CONNECT, true }, { "CLUSTERDOWN", DBM_E_CONNECT, true },
    { "BUSY", DBM_E_SQL, true }, { "TRYAGAIN", DBM_E_SQL, true }, { "NOREPLICAS", DBM_E_SQL, true }, { "READONLY", DBM_E_READ_ONLY, false },
    { "OOM", DBM_E_LIMIT, false }, { "EXECABORT", DBM_E_ROLLED_BACK, false }, { "MOVED", DBM_E_UNSUPPORTED, false }, { "ASK", DBM_E_UNSUPPORTED, false }
};

/* An error of the server, with what it means here. `element`: its place in an array, from 1; 0: it is the whole reply. */
static dbm_status dbm__redis_refused(dbm__redis *r, const char *text, size_t size, size_t element, char greeting) {
    char block[700], word[20];
    dbm__text t = dbm__text_in(block, sizeof block);
    const char *arguments = strstr(text, ", with args beginning with"); /* they may hold anything */
    size_t i, n = 0;
    dbm_status status = greeting == 0 ? DBM_E_SQL : greeting == 'a' ? DBM_E_AUTH : greeting == 's' ? DBM_E_UNKNOWN_NAME : greeting == 'n' ? DBM_E_CONFIG : DBM_E_CONNECT;
    bool retryable = false;
    while (n < size && n + 1 < sizeof word && text[n] != ' ') { word[n] = text[n]; n++; }
    word[n] = 0;
    for (i = 0; i < sizeof dbm__redis_errors / sizeof dbm__redis_errors[0]; i++) {
        if (strcmp(word, dbm__redis_errors[i].word) != 0) continue;
        status = dbm__redis_errors[i].status;
        retryable = dbm__redis_errors[i].retryable;
        break;
    }
    if (greeting != 0 && strstr(text, "max number of clients") != NULL) {
        status = DBM_E_CONNECT;
        retryable = true;
    }
    if (arguments != NULL) size = (size_t)(arguments - text);
    if (element != 0) dbm__putf(&t, r->command == DBM__REDIS_EXEC ? "command %z of the transaction failed, and the others are done: " : "element %z of the reply is an error: ", element);
    if (status == DBM_E_UNSUPPORTED) {
        const char *place = text + size;
        while (place > text && place[-1] != ' ') place--;
        dbm__putf(&t, "this server is part of a Redis Cluster, and the key belongs to the one at %s; dbm.h does not follow it: connect to that one, or to a proxy (", place);
    }
    dbm__put_n(&t, text, size < 500 ? size : 500);
    if (status == DBM_E_UNSUPPORTED) dbm__put(&t, ")");
    dbm__text_end(&t);
    if (status == DBM_E_READ_ONLY) dbm_adapter_broken(r->connection); /* a replica now: the next connect looks for the primary */
    status = dbm_adapter_fail(r->connection, status, NULL, 0, block);
    if (retryable) dbm_adapter_fail_retryable(r->connection);
    return status;
}

static dbm_status dbm__redis_too_much(dbm__redis *r) {
    return dbm_adapter_fail(r->connection, DBM_E_LIMIT, NULL, 0, "the replies that wait to be received are more than row_buffer: call dbm_redis_receive() between the sends");
}

static dbm_status dbm__redis_lost(dbm__redis *r, const char *why) {
    dbm_adapter_broken(r->connection);
    if (dbm__load_acquire(&r->busy) >= DBM__REDIS_CANCELLING) {
        return dbm_adapter_fail(r->connection, DBM_E_CANCELLED, NULL, 0, "cancelled; Redis can't stop a command, so the connection was closed");
    }
    return dbm_adapter_fail(r->connection, DBM_E_LOST, NULL, 0, why);
}

/* By what reading said. */
static dbm_status dbm__redis_hung_up(dbm__redis *r, dbm_status st) {
    dbm_adapter_broken(r->connection);
    if (st == DBM_E_NOMEM) return dbm__redis_no_memory(r->connection);
    return dbm__redis_lost(r, st == DBM_OK ? "the server does not speak Redis' protocol" : st == DBM_DONE ? "the server closed the connection" : "the connection was lost");
}

/* ---- sending ----------------------------------------------------------------------------------------------------------------- */

/* A mark, a number and the end of the line. */
DBM__INLINE size_t dbm__redis_head(char *out, char mark, uint64_t v) {
    char block[20];
    size_t n = 0, i = 1;
    out[0] = mark;
    if (DBM__LIKELY(v < 10)) {
        out[i++] = (char)('0' + (int)v);
    } else {
        do block[n++] = (char)('0' + (int)(v % 10)); while ((v /= 10) != 0);
        while (n > 0) out[i++] = block[--n];
    }
    out[i] = '\r';
    out[i + 1] = '\n';
    return i + 2;
}

DBM__INLINE bool dbm__redis_begin(dbm__redis *r, int arguments) {
    if (!dbm__redis_room(r->db, &r->out, &r->out_room, r->out_size, 32)) return false;
    r->out_size += dbm__redis_head(r->out + r->out_size, '*', (uint64_t)arguments);
    return true;
}

DBM__INLINE bool dbm__redis_argument(dbm__redis *r, const char *data, size_t size) {
    char *out;
    if (size > SIZE_MAX / 8 || !dbm__redis_room(r->db, &r->out, &r->out_room, r->out_size, size + 32)) return false;
    out = r->out + r->out_size;
    out += dbm__redis_head(out, '$', size);
    if (size != 0) memcpy(out, data, size);
    out += size;
    out[0] = '\r';
    out[1] = '\n';
    r->out_size = (size_t)(out + 2 - r->out);
    return true;
}

/* ---- what was asked for ---- */

static dbm__redis_asked *dbm__redis_in_line(const dbm__redis *r, size_t i) { return &r->line[(r->line_first + i) & (r->line_room - 1)]; }

/* The command that r->command and its fellows tell of, at the end of the line; false without memory. */
static bool dbm__redis_line_up(dbm__redis *r, const char *site, bool writes, char greeting) {
    dbm__redis_asked *s;
    if (DBM__UNLIKELY(r->line_count == r->line_room)) {
        size_t room = r->line_room < 128 ? 128 : r->line_room * 2, i;
        dbm__redis_asked *line = room < SIZE_MAX / 2 / sizeof *line ? (dbm__redis_asked *)dbm_adapter_alloc(r->db, room * sizeof *line) : NULL;
        if (line == NULL) return false;
        for (i = 0; i < r->line_count; i++) line[i] = *dbm__redis_in_line(r, i);
        dbm_adapter_free(r->db, r->line);
        r->line = line;
        r->line_room = room;
        r->line_first = 0;
    }
    s = dbm__redis_in_line(r, r->line_count++);
    s->site = site;
    s->size = 0;
    s->head = 0;
    s->wanted = r->wanted;
    s->command = (unsigned char)r->command;
    s->pairs = (unsigned char)r->pairs;
    s->greeting = greeting;
    s->writes = writes;
    s->queued = false;
    r->unanswered++;
    return true;
}

/* A command of texts of our own; NULL ends them. */
static bool dbm__redis_words(dbm__redis *r, dbm__redis_kind kind, char greeting, const char *a, const char *b, const char *c) {
    int n = b == NULL ? 1 : c == NULL ? 2 : 3;
    r->command = kind;
    r->pairs = DBM__REDIS_SINGLE;
    return dbm__redis_begin(r, n) && dbm__redis_argument(r, a, strlen(a)) && (b == NULL || dbm__redis_argument(r, b, strlen(b)))
        && (c == NULL || dbm__redis_argument(r, c, strlen(c))) && dbm__redis_line_up(r, NULL, false, greeting);
}

static bool dbm__redis_select(dbm__redis *r, char greeting) {
    char number[24];
    r->wanted = r->base->number;
    dbm__format(number, sizeof number, "%l", r->wanted);
    return dbm__redis_words(r, DBM__REDIS_SELECT, greeting, "SELECT", number, NULL);
}

static dbm_status dbm__redis_bad_value(dbm__redis *r, const dbm_op *op, int i) {
    char block[160];
    const char *why = op->values[i].type == DBM_TYPE_NULL ? "is NULL, which Redis does not know: leave the key out, or delete it"
                      : op->values[i].type == DBM_TYPE_DOUBLE ? "is a double, and DBM_NO_FLOAT leaves them out"
                      : "is no value; bytes are passed as dbm_blob(p, n)";
    dbm__format(block, sizeof block, "argument %d of the command %s", i, why);
    return dbm_adapter_fail(r->connection, DBM_E_MISUSE, NULL, 0, block);
}

/* The values of an operation, behind the name of the command where that is none of them. */
static dbm_status dbm__redis_values(dbm__redis *r, const dbm_op *op, const char *name) {
    int i;
    if (!dbm__redis_begin(r, op->value_count + (name != NULL)) || (name != NULL && !dbm__redis_argument(r, name, strlen(name)))) return dbm__redis_no_memory(r->connection);
    for (i = 0; i < op->value_count; i++) {
        const dbm_value *v = &op->values[i];
        char block[64];
        const char *data = block;
        size_t size = 0;
        switch (v->type) {
        case DBM_TYPE_TEXT: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
            data = v->as.text.data;
            size = data != NULL && v->as.text.size == SIZE_MAX ? strlen(data) : v->as.text.size;
            if (data == NULL && size != 0) return dbm__redis_bad_value(r, op, i);
            break;
        case DBM_TYPE_BOOL: block[size++] = v->as.integer != 0 ? '1' : '0'; break;
        case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_TIMESTAMP: case DBM_TYPE_DOUBLE:
            if (v->type == DBM_TYPE_DOUBLE && !DBM__FLOAT) return dbm__redis_bad_value(r, op, i);
            data = dbm_adapter_text(v, block, &size);
            break;
        case DBM_TYPE_NULL: case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: return dbm__redis_bad_value(r, op, i);
        }
        if (!dbm__redis_argument(r, data, size)) return dbm__redis_no_memory(r->connection);
    }
    return DBM_OK;
}

/* Whether a value is this word; letters of any case. */
static bool dbm__redis_is(const dbm_value *v, const char *word) {
    size_t size;
    if (v->type != DBM_TYPE_TEXT && v->type != DBM_TYPE_BLOB) return false;
    size = v->as.text.size == SIZE_MAX ? strlen(v->as.text.data) : v->as.text.size;
    return size == strlen(word) && dbm__same_word_n(v->as.text.data, size, word);
}

static char dbm__redis_upper(char c) { return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c; }

/* Whether it may wait for somebody else's doing, and all behind it with it. */
static bool dbm__redis_waits(const dbm_op *op) {
    static const char *const names[] = { "BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "XREAD", "XREADGROUP", "WAIT", "WAITAOF" };
    char first = dbm__redis_upper(op->values[0].as.text.data[0]);
    size_t i;
    if (first != 'B' && first != 'W' && first != 'X') return false;
    for (i = 0; i < sizeof names / sizeof names[0] && !dbm__redis_is(op->values, names[i]); i++) {}
    return i < sizeof names / sizeof names[0];
}

/* What a command is about, before it is sent. Refuses what would take the connection out of step. */
static dbm_status dbm__redis_look(dbm__redis *r, dbm_op *op) {
    const dbm_value *v = op->values;
    char first;
    size_t i;
    int j;
    r->command = DBM__REDIS_PLAIN;
    r->pairs = DBM__REDIS_SINGLE;
    if (op->value_count < 1 || (v[0].type != DBM_TYPE_TEXT && v[0].type != DBM_TYPE_BLOB) || v[0].as.text.data == NULL || v[0].as.text.size == 0) {
        return dbm_adapter_fail(r->connection, DBM_E_MISUSE, NULL, 0, "a command begins with its name, a text");
    }
    first = dbm__redis_upper(v[0].as.text.data[0]);
    if (first < 'A' || first > 'Z' || (DBM__REDIS_INITIALS >> (first - 'A') & 1u) == 0) return DBM_OK;
    for (i = 0; i < sizeof dbm__redis_names / sizeof dbm__redis_names[0]; i++) {
        if (dbm__redis_names[i].name[0] == first && dbm__redis_is(v, dbm__redis_names[i].name)) {
            r->command = dbm__redis_names[i].kind;
            break;
        }
    }
    if (DBM__UNLIKELY(first == 'Z' || first == 'H')) {
        if (dbm__redis_is(v, "HGETALL")) r->pairs = DBM__REDIS_FIELDS;
        else if (dbm__redis_is(v, "ZPOPMIN") || dbm__redis_is(v, "ZPOPMAX")) r->pairs = DBM__REDIS_SCORES;
        else for (j = 2; j < op->value_count; j++) {
            if (first == 'Z' && dbm__redis_is(&v[j], "WITHSCORES")) r->pairs = DBM__REDIS_SCORES;
            if (first == 'H' && dbm__redis_is(&v[j], "WITHVALUES")) r->pairs = DBM__REDIS_FIELDS;
        }
    } else if (first == 'C' && op->value_count > 1 && dbm__redis_is(v, "CONFIG") && dbm__redis_is(&v[1], "GET")) {
        r->pairs = DBM__REDIS_FIELDS;
    }
    if (DBM__LIKELY(r->command == DBM__REDIS_PLAIN)) return DBM_OK;
    if (r->command == DBM__REDIS_CLIENT && op->value_count > 1) {
        static const char *const harmless[] = { "LIST", "ID", "INFO", "GETNAME", "KILL", "PAUSE", "UNPAUSE", "UNBLOCK", "HELP" };
        r->command = dbm__redis_is(&v[1], "REPLY") ? DBM__REDIS_REFUSED : DBM__REDIS_CHANGES;
        for (i = 0; i < sizeof harmless / sizeof harmless[0]; i++) if (dbm__redis_is(&v[1], harmless[i])) r->command = DBM__REDIS_CLIENT;
    }
    if (r->command == DBM__REDIS_REFUSED) {
        return dbm_adapter_fail(r->connection, DBM_E_UNSUPPORTED, NULL, 0,
                                "this command changes how the server answers, or ends the connection, which belongs to the pool: SUBSCRIBE and its fellows, MONITOR, SYNC, "
                                "HELLO, CLIENT REPLY and QUIT can't be sent through a session");
    }
    if (r->command == DBM__REDIS_SELECT) {
        dbm__why why;
        r->wanted = -1;
        if (op->value_count == 2 && dbm__to_int(&v[1], 0, INT64_MAX, &r->wanted, &why) != DBM_OK) r->wanted = -1;
    }
    return DBM_OK;
}

/* What a command that was answered has done to the connection. */
static void dbm__redis_learn(dbm__redis *r, int command, int64_t wanted, bool ok, bool queued) {
    switch ((dbm__redis_kind)command) {
    case DBM__REDIS_MULTI: if (ok) r->multi = true; break;
    case DBM__REDIS_EXEC: case DBM__REDIS_DISCARD: if (ok || r->multi) r->multi = r->watching = false; break; /* an error ends it too */
    case DBM__REDIS_WATCH: if (ok) r->watching = true; break;
    case DBM__REDIS_UNWATCH: if (ok && !queued) r->watching = false; break;
    case DBM__REDIS_SELECT: if (ok) r->number = queued ? -1 : wanted; break;
    case DBM__REDIS_CHANGES: r->changed = true; break;
    case DBM__REDIS_PLAIN: case DBM__REDIS_CLIENT: case DBM__REDIS_REFUSED: break;
    }
    dbm_adapter_state(r->connection, r->multi || r->watching ? DBM_STATE_TRANSACTION : r->changed || r->number != r->base->number ? DBM_STATE_CHANGED : DBM_STATE_NONE);
}

/* ---- TLS: through hiredis' own, on a context made for the socket ---------------------------------------------------------------- */

#if DBM_HAS_REDIS_TLS
static const char *dbm__redis_tls_reason(SSL *ssl) {
    unsigned long e = ERR_peek_last_error();
    const char *reason = NULL;
    long verified = ssl != NULL ? SSL_get_verify_result(ssl) : X509_V_OK;
    if (verified != X509_V_OK) reason = X509_verify_cert_error_string(verified);
    else if (e != 0) reason = ERR_reason_error_string(e);
    return reason != NULL ? reason : "the server does not speak TLS, or hung up";
}

static dbm_status dbm__redis_tls_failed(dbm__redis *r, const char *what, SSL *ssl) {
    char block[300];
    dbm__format(block, sizeof block, "TLS with %s: %s: %s", r->dial.host, what, dbm__redis_tls_reason(ssl));
    ERR_clear_error();
    return dbm_adapter_fail(r->connection, DBM_E_TLS, NULL, 0, block);
}

/* The settings of a database, made once. NULL: reported. */
static SSL_CTX *dbm__redis_tls_settings(dbm__redis *r, dbm_tls mode) {
    dbm__redis_base *base = (dbm__redis_base *)dbm_adapter_db_data(r->db);
    const dbm_config *config = dbm_adapter_config(r->db);
    const char *what = NULL;
    SSL_CTX *made;
    dbm__lock_take(&base->lock);
    made = base->tls;
    if (made == NULL) {
        made = SSL_CTX_new(TLS_client_method());
        if (made == NULL) {
            what = "no settings could be made";
        } else {
            (void)SSL_CTX_set_min_proto_version(made, TLS1_2_VERSION);
            SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE);
            SSL_CTX_set_verify(made, mode >= DBM_TLS_VERIFY_CA ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
            if (config->tls_ca != NULL) {
                if (SSL_CTX_load_verify_locations(made, config->tls_ca, NULL) != 1) what = "tls_ca can't be read";
            } else if (SSL_CTX_set_default_verify_paths(made) != 1) {
                what = "the system's certificates can't be read";
            }
            if (what == NULL && config->tls_cert != NULL && SSL_CTX_use_certificate_chain_file(made, config->tls_cert) != 1) what = "tls_cert can't be read";
            if (what == NULL && config->tls_key != NULL && SSL_CTX_use_PrivateKey_file(made, config->tls_key, SSL_FILETYPE_PEM) != 1) what = "tls_key can't be read";
        }
        if (what != NULL) {
            (void)dbm__redis_tls_failed(r, what, NULL);
            SSL_CTX_free(made);
            made = NULL;
        }
        base->tls = made;
    }
    dbm__lock_give(&base->lock);
    return made;
}

static dbm_status dbm__redis_tls_begin(dbm__redis *r, dbm_tls mode) {
    SSL_CTX *settings = dbm__redis_tls_settings(r, mode);
    dbm__hush hush;
    ASN1_OCTET_STRING *address;
    bool named;
    int rc = 1;
    if (settings == NULL) return DBM_E_TLS;
    r->context = redisConnectFd(r->fd);
    if (r->context == NULL) return dbm__redis_no_memory(r->connection);
    r->context->flags &= ~REDIS_BLOCK;
    redisReaderFree(r->context->reader);
    r->context->reader = r->reader; /* one reader, freed with the context from now on */
    r->ssl = SSL_new(settings);
    if (r->ssl == NULL) return dbm__redis_no_memory(r->connection);
    address = a2i_IPADDRESS(r->dial.host);
    named = address == NULL;
    ASN1_OCTET_STRING_free(address);
    if (named) rc = SSL_set_tlsext_host_name(r->ssl, r->dial.host) == 1;
    if (rc == 1 && mode == DBM_TLS_VERIFY_FULL) {
        X509_VERIFY_PARAM *param = SSL_get0_param(r->ssl);
        rc = named ? X509_VERIFY_PARAM_set1_host(param, r->dial.host, 0) : X509_VERIFY_PARAM_set1_ip_asc(param, r->dial.host);
    }
    if (rc == 1) {
        dbm__hush_begin(&hush, true);
        rc = redisInitiateSSL(r->context, r->ssl) == REDIS_OK;
        dbm__hush_end(&hush);
    }
    if (rc != 1) {
        dbm_status st = dbm__redis_tls_failed(r, "it could not be begun", r->ssl);
        SSL_free(r->ssl); /* the context has not taken it */
        r->ssl = NULL;
        return st;
    }
    return DBM_OK;
}

/* The handshake goes on: DONE says that it is over, well or not. */
static dbm_step dbm__redis_tls_shake(dbm__redis *r, dbm_status *st) {
    dbm__hush hush;
    int rc, e;
    dbm__hush_begin(&hush, true);
    ERR_clear_error();
    rc = SSL_do_handshake(r->ssl);
    e = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(r->ssl, rc);
    dbm__hush_end(&hush);
    *st = DBM_OK;
    if (e == SSL_ERROR_NONE) return DBM_STEP_DONE;
    if (e == SSL_ERROR_WANT_READ) return DBM_STEP_READ;
    if (e == SSL_ERROR_WANT_WRITE) return DBM_STEP_WRITE;
    *st = dbm__redis_tls_failed(r, "the handshake failed", r->ssl);
    return DBM_STEP_DONE;
}

/* Everything in `out` goes to hiredis' buffer first; what is read comes past it. */
static dbm_status dbm__redis_tls_send(dbm__redis *r, const char *data, size_t size, size_t *sent) {
    dbm__hush hush;
    int done = 0, rc = REDIS_OK;
    *sent = 0;
    if (size != 0) {
        if (redisAppendFormattedCommand(r->context, data, size) != REDIS_OK) return DBM_E_LOST;
        *sent = size;
    }
    dbm__hush_begin(&hush, true);
    rc = redisBufferWrite(r->context, &done);
    dbm__hush_end(&hush);
    return rc != REDIS_OK ? DBM_E_LOST : done ? DBM_OK : DBM_E_TIMEOUT;
}

static dbm_status dbm__redis_tls_receive(dbm__redis *r, char *into, size_t room, size_t *n) {
    dbm__hush hush;
    int rc, e;
    dbm__hush_begin(&hush, true);
    ERR_clear_error();
    rc = SSL_read(r->ssl, into, room < INT32_MAX ? (int)room : INT32_MAX);
    e = rc > 0 ? SSL_ERROR_NONE : SSL_get_error(r->ssl, rc);
    dbm__hush_end(&hush);
    *n = rc > 0 ? (size_t)rc : 0;
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) return DBM_E_TIMEOUT;
    return e == SSL_ERROR_NONE ? DBM_OK : e == SSL_ERROR_ZERO_RETURN ? DBM_DONE : DBM_E_LOST;
}
#endif

/* ---- the flow ---------------------------------------------------------------------------------------------------------------------- */

/* Sends what there is. DBM_OK: all of it; DBM_E_TIMEOUT: the rest later; else it can't be sent, but an answer may lie there. */
static dbm_status dbm__redis_send(dbm__redis *r) {
    dbm_status st = DBM_OK;
    size_t n;
#if DBM_HAS_REDIS_TLS
    if (r->ssl != NULL) {
        st = dbm__redis_tls_send(r, r->out + r->out_sent, r->out_size - r->out_sent, &n);
        r->out_sent += n;
    } else
#endif
    while (st == DBM_OK && r->out_sent < r->out_size) {
        st = dbm__net_send(r->fd, r->out + r->out_sent, r->out_size - r->out_sent, &n);
        r->out_sent += n;
    }
    if (st == DBM_OK) r->sent_now = true;
    return st;
}

static dbm_status dbm__redis_hear(dbm__redis *r, char *into, size_t room, size_t *n) {
#if DBM_HAS_REDIS_TLS
    if (r->ssl != NULL) return dbm__redis_tls_receive(r, into, room, n);
#endif
    return dbm__net_receive(r->fd, into, room, n);
}

static void dbm__redis_sent(dbm__redis *r) {
    if (r->out_room > DBM__REDIS_KEPT) dbm__redis_shrink(r->db, &r->out, &r->out_room);
    r->out_size = r->out_sent = 0;
}

static void dbm__redis_free(dbm__redis *r) {
    dbm__dial_end(&r->dial);
#if DBM_HAS_REDIS_TLS
    if (r->context != NULL) { /* with it go reader, socket, and TLS without a word to the server */
        redisFree(r->context);
        r->reader = NULL;
        r->fd = -1;
    }
#endif
    if (r->reader != NULL) redisReaderFree(r->reader);
    dbm__net_close(r->fd);
    while (r->all != NULL) {
        dbm__redis_reply *older = r->all->older;
        dbm_adapter_free(r->db, r->all->nodes);
        dbm_adapter_free(r->db, r->all->bytes);
        dbm_adapter_free(r->db, r->all->json);
        dbm_adapter_free(r->db, r->all);
        r->all = older;
    }
    if (r->out != NULL) dbm__wipe(r->out, r->out_room);
    dbm_adapter_free(r->db, r->out);
    dbm_adapter_free(r->db, r->line);
    dbm_adapter_free(r->db, r->raw);
    dbm_adapter_free(r->db, r);
}

/* ---- connect ---- */

static dbm_status dbm__redis_make(dbm_connection *c) {
    dbm_database *db = dbm_adapter_database(c);
    const dbm_config *config = dbm_adapter_config(db);
    dbm__redis *r = (dbm__redis *)dbm_adapter_alloc(db, sizeof *r);
    if (r == NULL) return dbm__redis_no_memory(c);
    memset(r, 0, sizeof *r);
    r->news_end = &r->news;
    r->connection = c;
    r->db = db;
    r->base = (const dbm__redis_base *)dbm_adapter_db_data(db);
    r->number = r->base->number;
    r->fd = -1;
    dbm__dial_init(&r->dial);
    r->dial.hosts = r->base->hosts;
    r->dial.path = r->base->path;
    r->dial.port = 6379;
    r->dial.keepalive_ms = config->tcp_keepalive_ms;
    r->dial.user_timeout_ms = config->tcp_user_timeout_ms;
    dbm__redis_functions(&r->functions);
    r->reader = redisReaderCreateWithFunctions(&r->functions);
    if (r->reader == NULL) {
        dbm__redis_free(r);
        return dbm__redis_no_memory(c);
    }
    r->reader->privdata = r;
    r->reader->maxbuf = DBM__REDIS_KEPT;
    dbm_adapter_set_data(c, r);
    return DBM_OK;
}

/* AUTH, SELECT, CLIENT SETNAME and PING, in one send; the last one so that there is always an answer. */
static dbm_status dbm__redis_greet(dbm__redis *r, bool clear) {
    dbm_credentials who;
    dbm_status st = dbm_adapter_credentials(r->connection, &who);
    bool fits = true, user;
    if (st != DBM_OK) return st;
    user = who.user != NULL && who.user[0] != 0;
    if (who.password != NULL && who.password[0] != 0) {
        if (clear && !r->dial.local) dbm_adapter_clear_text(r->connection);
        fits = dbm__redis_words(r, DBM__REDIS_PLAIN, 'a', "AUTH", user ? who.user : who.password, user ? who.password : NULL);
    } else if (user) {
        return dbm_adapter_fail(r->connection, DBM_E_CONFIG, NULL, 0, "there is a user and no password: Redis takes both, or a password alone (redis://:password@host)");
    }
    if (r->base->number != 0) fits = fits && dbm__redis_select(r, 's');
    if (r->base->client_name != NULL) fits = fits && dbm__redis_words(r, DBM__REDIS_PLAIN, 'n', "CLIENT", "SETNAME", r->base->client_name);
    fits = fits && dbm__redis_words(r, DBM__REDIS_PLAIN, 'p', "PING", NULL, NULL);
    r->phase = DBM__REDIS_TALK;
    return fits ? DBM_OK : dbm__redis_no_memory(r->connection);
}

/* The socket is there. */
static dbm_status dbm__redis_reached(dbm__redis *r) {
    dbm_tls mode = r->base->secure && dbm_adapter_config(r->db)->tls == DBM_TLS_DEFAULT ? DBM_TLS_VERIFY_FULL : dbm_adapter_tls(r->db, r->dial.local);
    r->fd = r->dial.fd;
    if (mode < DBM_TLS_REQUIRE) return dbm__redis_greet(r, true);
#if DBM_HAS_REDIS_TLS
    r->phase = DBM__REDIS_SHAKE;
    return dbm__redis_tls_begin(r, mode);
#else
    return dbm_adapter_fail(r->connection, DBM_E_TLS, NULL, 0, "this build has no TLS for Redis");
#endif
}

static dbm_status dbm__redis_not_reached(dbm__redis *r) {
    char block[500];
    if (r->dial.status == DBM_E_NOMEM) return dbm__redis_no_memory(r->connection);
    dbm__format(block, sizeof block, "no Redis server can be reached: %s", r->dial.problem);
    (void)dbm_adapter_fail(r->connection, r->dial.status, NULL, 0, block);
    dbm_adapter_fail_retryable(r->connection);
    return r->dial.status;
}

/* ---- one operation ---- */

/* The answer to a command, complete. PING may be forbidden to a user who may do other things. */
static dbm_status dbm__redis_answer(dbm__redis *r, dbm_op *op, const dbm__redis_asked *s) {
    dbm__redis_reply *reply = r->building;
    const dbm__redis_node *root = &reply->nodes[0];
    bool ok = root->kind != DBM__REDIS_ERROR;
    dbm_status st = DBM_OK;
    r->command = (dbm__redis_kind)s->command;
    r->pairs = s->pairs;
    if (DBM__UNLIKELY(reply->error != 0)) {
        const dbm__redis_node *node = &reply->nodes[reply->error - 1];
        const char *text = reply->bytes + node->is.at;
        size_t element = 0, at = 1;
        if (ok) for (element = 1; (at = dbm__redis_behind(reply, at)) < reply->error; element++) {}
        if (s->greeting != 'p' || strncmp(text, "NOPERM", 6) != 0) st = dbm__redis_refused(r, text, node->size, element, s->greeting);
    } else if (DBM__UNLIKELY(s->command == DBM__REDIS_EXEC && root->kind == DBM__REDIS_NIL)) {
        st = dbm_adapter_fail(r->connection, DBM_E_SERIALIZATION, NULL, 0, "a watched key was changed by somebody else, so nothing of the transaction was done");
    }
    if (st != DBM_OK) op->site = s->site;
    if (st != DBM_OK || s->queued || (op->kind != DBM_OP_COMMAND && op->kind != DBM_OP_RECEIVE)) { /* a queued command has no answer of its own yet */
        dbm__redis_reply_spare(r, reply);
    } else {
        dbm__redis_show(r, op, reply);
    }
    r->building = NULL;
    return st;
}

/* A reply that could not be put away: there was no memory for it, or it is none. */
static dbm_status dbm__redis_garbage(dbm__redis *r) {
    dbm_adapter_broken(r->connection);
    if (r->building == NULL || r->building->no_memory || r->reader->err == REDIS_ERR_OOM) return dbm__redis_no_memory(r->connection);
    return dbm__redis_lost(r, "the server does not speak Redis' protocol");
}

/* Sends what there is, as far as it goes now. */
static void dbm__redis_push(dbm__redis *r) {
    dbm_status st;
    r->sent_now = false;
    if (r->out_size == 0) return;
    st = dbm__redis_send(r);
    if (DBM__LIKELY(st == DBM_OK)) {
        dbm__redis_sent(r);
    } else if (st != DBM_E_TIMEOUT) {
        r->out_size = r->out_sent = 0; /* what it said before it hung up may still be read */
    } else if (r->out_sent >= DBM__REDIS_BATCH && r->out_sent != r->out_size) {
        memmove(r->out, r->out + r->out_sent, r->out_size - r->out_sent);
        r->out_size -= r->out_sent;
        r->out_sent = 0;
    }
}

/* ---- the pipeline ---- */

/* `size` bytes of raw at `at` go, all of them scanned. */
static void dbm__redis_raw_cut(dbm__redis *r, size_t at, size_t size) {
    memmove(r->raw + at, r->raw + at + size, r->raw_size - at - size);
    r->raw_size -= size;
    r->scanned -= size;
    r->begun -= size;
}

/* Nothing of it is left, but for the beginning of a push: what it took is given back where it is much. */
static void dbm__redis_line_empty(dbm__redis *r) {
    if (DBM__UNLIKELY(r->raw_size > r->raw_at && r->raw[r->raw_at] == '>')) dbm__redis_raw_cut(r, 0, r->raw_at);
    else r->raw_size = r->scanned = 0;
    r->raw_at = 0;
    r->draining = false;
    if (r->raw_size == 0) dbm__redis_shrink(r->db, &r->raw, &r->raw_room);
    if (r->line_room * sizeof *r->line > DBM__REDIS_KEPT) {
        dbm_adapter_free(r->db, r->line);
        r->line = NULL;
        r->line_room = 0;
    }
}

/* The number of a line that ends before `end`; -1 is one, too. */
static bool dbm__redis_number(const char *c, const char *end, int64_t *n) {
    if (end - c == 2 && c[0] == '-' && c[1] == '1') {
        *n = -1;
        return true;
    }
    if (c == end || end - c > 15) return false;
    for (*n = 0; c < end; c++) {
        if (*c < '0' || *c > '9') return false;
        *n = *n * 10 + (*c - '0');
    }
    return true;
}

/* The oldest command that is unanswered has its reply now, `size` bytes of raw. */
DBM__INLINE void dbm__redis_answered(dbm__redis *r, const char *reply, size_t size, size_t head) {
    dbm__redis_asked *s = dbm__redis_in_line(r, r->line_count - r->unanswered);
    s->size = size;
    s->head = (unsigned char)head;
    if (DBM__UNLIKELY(r->multi)) s->queued = size == 9 && memcmp(reply, "+QUEUED\r\n", 9) == 0;
    if (DBM__UNLIKELY(s->command != DBM__REDIS_PLAIN)) dbm__redis_learn(r, s->command, s->wanted, *reply != '-', s->queued);
    r->unanswered--;
}

/* Texts, as far as they come one behind the other: what most replies are. */
static void dbm__redis_scan_texts(dbm__redis *r) {
    const char *c = r->raw + r->scanned, *end = r->raw + r->raw_size;
    while (r->unanswered != 0 && end - c > 5 && *c == '$') {
        const char *d = c + 1;
        size_t size = 0, head;
        while (d < end && *d >= '0' && *d <= '9' && d - c < 16) size = size * 10 + (size_t)(*d++ - '0');
        head = (size_t)(d - c) + 2;
        if (d == c + 1 || size > SIZE_MAX / 4 || (size_t)(end - c) < head + size + 2 || d[0] != '\r' || d[1] != '\n' || d[size + 2] != '\r' || d[size + 3] != '\n') break;
        dbm__redis_answered(r, c, head + size + 2, head);
        c = d + size + 4;
    }
    r->scanned = (size_t)(c - r->raw);
}

/* Looks for the ends of replies in what was read. False: that is no reply. */
static bool dbm__redis_scan(dbm__redis *r) {
    while (r->scanned < r->raw_size && (r->unanswered != 0 || r->open != 0 || r->raw[r->scanned] == '>')) {
        const char *c, *end;
        size_t size;
        uint64_t more = 0;
        int64_t n = 0;
        if (r->open == 0) dbm__redis_scan_texts(r);
        if (r->scanned == r->raw_size || (r->unanswered == 0 && r->open == 0 && r->raw[r->scanned] != '>')) break;
        c = r->raw + r->scanned;
        end = (const char *)memchr(c, '\n', r->raw_size - r->scanned);
        if (end == NULL) return *c != 0 && strchr("+-:$*_,(#=!~%>", *c) != NULL;
        size = (size_t)(end - c) + 1;
        switch (*c) {
        case '+': case '-': case ':': case '_': case ',': case '(': case '#': break;
        case '$': case '=': case '!': case '*': case '~': case '%': case '>':
            if (size < 3 || !dbm__redis_number(c + 1, end - 1, &n)) return false;
            if (n < 0) break;
            if (*c == '*' || *c == '~' || *c == '%' || *c == '>') more = (uint64_t)n << (*c == '%');
            else size += (size_t)n + 2;
            break;
        default: return false;
        }
        if (size > r->raw_size - r->scanned) return true;
        if (r->open == 0) {
            r->begun = r->scanned;
            r->open = 1;
        }
        r->scanned += size;
        r->open += more - 1;
        if (r->open == 0 && r->raw[r->begun] == '>') { /* a push, which answers nothing: it goes */
            dbm__redis_raw_cut(r, r->begun, r->scanned - r->begun);
        } else if (r->open == 0) {
            dbm__redis_answered(r, r->raw + r->begun, r->scanned - r->begun, 0);
        }
    }
    if (r->scanned != r->raw_size && r->unanswered == 0) dbm_adapter_broken(r->connection); /* bytes that nobody asked for */
    return true;
}

/* What has come goes behind the rest. DBM_E_TIMEOUT: nothing has. */
static dbm_status dbm__redis_gather(dbm__redis *r) {
    size_t n;
    dbm_status st;
    if (r->raw_at > r->raw_size / 2) {
        dbm__redis_raw_cut(r, 0, r->raw_at);
        r->raw_at = 0;
    }
    if (!dbm__redis_room(r->db, &r->raw, &r->raw_room, r->raw_size, DBM__REDIS_READ)) return DBM_E_NOMEM;
    st = dbm__redis_hear(r, r->raw + r->raw_size, r->raw_room - r->raw_size, &n);
    if (st == DBM_OK) r->raw_size += n;
    return st;
}

/* A whole reply that is no array; what it is not sure of is left to hiredis. */
static void *dbm__redis_plain(dbm__redis *r, const char *c, size_t size) {
    const char *end = c + size - 2;
    int64_t n;
    switch (*c) {
    case '+': case '-': return dbm__redis_text_node(r, *c == '+' ? DBM__REDIS_STATUS : DBM__REDIS_ERROR, c + 1, (size_t)(end - c) - 1);
    case ':': return dbm__redis_number(c + 1, end, &n) ? dbm__redis_number_node(r, DBM__REDIS_INTEGER, n) : NULL;
    case '$': return c[1] == '-' ? dbm__redis_number_node(r, DBM__REDIS_NIL, 0) : NULL; /* a text was seen to be one already, or is none */
    default: return NULL;
    }
}

DBM__INLINE void dbm__redis_left_line(dbm__redis *r, size_t size) {
    r->raw_at += size;
    r->line_first = (r->line_first + 1) & (r->line_room - 1);
    if (--r->line_count == 0) dbm__redis_line_empty(r);
}

/* Makes rows of a reply in raw: the first one in line, or the last one. */
static dbm_status dbm__redis_given(dbm__redis *r, dbm_op *op, bool last) {
    const dbm__redis_asked s = *dbm__redis_in_line(r, last ? r->line_count - 1 : 0);
    size_t at = last ? (r->open != 0 ? r->begun : r->scanned) - s.size : r->raw_at; /* behind the last one a push may have begun */
    const char *c = r->raw + at;
    void *got = NULL;
    const dbm__redis_reply *reply = r->building = dbm__redis_reply_new(r);
    if (DBM__UNLIKELY(reply == NULL)) got = NULL;
    else if (DBM__LIKELY(s.head != 0)) got = dbm__redis_text_node(r, DBM__REDIS_TEXT, c + s.head, s.size - s.head - 2);
    else if ((got = dbm__redis_plain(r, c, s.size)) == NULL && !reply->no_memory && redisReaderFeed(r->reader, c, s.size) == REDIS_OK) (void)redisReaderGetReply(r->reader, &got);
    if (DBM__LIKELY(!last)) {
        dbm__redis_left_line(r, s.size);
    } else {
        dbm__redis_raw_cut(r, at, s.size);
        if (--r->line_count == 0) dbm__redis_line_empty(r);
    }
    return DBM__LIKELY(got != NULL) ? dbm__redis_answer(r, op, &s) : dbm__redis_garbage(r);
}

/* An array that comes for the only command there is goes to hiredis as it comes. DBM_DONE: there is more of it to come. */
static dbm_status dbm__redis_straight(dbm__redis *r, dbm_op *op) {
    void *got = NULL;
    bool fed;
    dbm__redis_asked s;
    r->straight = true;
    if (r->building == NULL && (r->building = dbm__redis_reply_new(r)) == NULL) return dbm__redis_garbage(r);
    fed = redisReaderFeed(r->reader, r->raw + r->raw_at, r->raw_size - r->raw_at) == REDIS_OK && redisReaderGetReply(r->reader, &got) == REDIS_OK;
    r->raw_at = r->raw_size = r->scanned = 0;
    if (!fed) return dbm__redis_garbage(r);
    if (got == NULL) return DBM_DONE;
    r->raw_size = r->reader->len - r->reader->pos; /* no more than was fed last */
    memcpy(r->raw, r->reader->buf + r->reader->pos, r->raw_size);
    r->reader->pos = r->reader->len;
    s = *dbm__redis_in_line(r, 0);
    r->line_count = r->unanswered = 0;
    r->straight = false;
    if (!dbm__redis_scan(r)) dbm_adapter_broken(r->connection); /* pushes, or bytes that nobody asked for */
    dbm__redis_line_empty(r);
    dbm__redis_learn(r, s.command, s.wanted, true, false);
    return dbm__redis_answer(r, op, &s);
}

/* All that is answered is dropped; the first failure among it is told. */
static void dbm__redis_drop(dbm__redis *r, dbm_op *op) {
    while (r->line_count > r->unanswered) {
        if (op->status == DBM_OK) op->status = dbm__redis_given(r, op, false);
        else dbm__redis_left_line(r, dbm__redis_in_line(r, 0)->size); /* it is known: the rest goes unread */
    }
}

/* Puts a command behind those that were not answered or not received yet. */
DBM__INLINE dbm_status dbm__redis_append(dbm__redis *r, dbm_op *op) {
    size_t before = r->out_size;
    dbm_status st = dbm__redis_values(r, op, NULL);
    if (st == DBM_OK && !dbm__redis_line_up(r, op->site, op->write, 0)) st = dbm__redis_no_memory(r->connection);
    if (st != DBM_OK) r->out_size = before;
    return st;
}

/* Too much is under way for one more. */
static bool dbm__redis_full(dbm__redis *r) {
    if (r->unanswered >= DBM__REDIS_UNANSWERED) r->draining = true;
    else if (r->unanswered <= DBM__REDIS_UNANSWERED / 2) r->draining = false;
    return r->draining || r->out_size - r->out_sent >= DBM__REDIS_BATCH || (r->out_size != 0 && r->out_sent == r->out_size); /* the rest lies in hiredis' buffer */
}

/* What an operation waits for while there is a line: room for one more, the first reply, its own, or all. */
static bool dbm__redis_reached_end(dbm__redis *r, dbm_op *op) {
    switch (op->kind) {
    case DBM_OP_RECEIVE:
        if (r->line_count == r->unanswered) return false;
        op->status = dbm__redis_given(r, op, false);
        return true;
    case DBM_OP_COMMAND:
        if (op->no_wait) {
            if (dbm__redis_full(r)) return false;
            op->status = dbm__redis_append(r, op);
            op->queued = op->status == DBM_OK;
            return true;
        }
        if (r->unanswered != 0) return false;
        op->status = dbm__redis_given(r, op, true);
        return true;
    default:
        dbm__redis_drop(r, op);
        return r->line_count == 0 || (op->status != DBM_OK && op->kind != DBM_OP_SYNC); /* it will be closed */
    }
}

/* Sends and reads until the operation has what it waits for. */
static dbm_step dbm__redis_flow(dbm__redis *r, dbm_op *op) {
    bool looked = !op->no_wait; /* one that needs room alone reads all the same, or what is to be read piles up at the server */
    dbm_status st;
    size_t i;
    for (;;) {
        dbm__redis_push(r);
        op->fd = r->fd;
        op->wake_us = INT64_MAX;
        if (looked && dbm__redis_reached_end(r, op)) return DBM_STEP_DONE;
        if (looked && r->sent_now && r->raw_size == r->raw_at) return DBM_STEP_READ;
        if (op->no_wait && r->raw_size - r->raw_at > op->row_buffer && op->row_buffer != 0) {
            op->status = dbm__redis_too_much(r);
            return DBM_STEP_DONE;
        }
        st = dbm__redis_gather(r);
        if (st == DBM_E_TIMEOUT && looked) return r->out_size != 0 ? DBM_STEP_BOTH : DBM_STEP_READ;
        looked = looked || st == DBM_E_TIMEOUT;
        if (st == DBM_E_TIMEOUT) continue;
        if (st == DBM_OK && op->kind == DBM_OP_COMMAND && !op->no_wait && r->line_count == 1 && (r->straight || (r->scanned == r->raw_at && strchr("*%~", r->raw[r->raw_at]) != NULL))) {
            if ((st = dbm__redis_straight(r, op)) == DBM_DONE) continue;
            op->status = st;
            return DBM_STEP_DONE;
        }
        if (st == DBM_OK && dbm__redis_scan(r)) continue;
        break;
    }
    for (i = r->line_count - r->unanswered; i < r->line_count; i++) op->write = op->write || dbm__redis_in_line(r, i)->writes;
    op->status = dbm__redis_hung_up(r, st);
    return DBM_STEP_DONE;
}

/* ---- listening ---- */

static const char *const dbm__redis_listens[] = { "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE", "" }; /* by op->listen */

/* What came is a message, or the answer to what was sent last, of which there is one for each channel. */
static dbm_status dbm__redis_told(dbm__redis *r) {
    dbm__redis_reply *reply = r->building;
    const dbm__redis_node *node = reply->nodes; /* one at least */
    const char *word = node != NULL && node->kind == DBM__REDIS_ARRAY && reply->count > 2 && node[1].kind == DBM__REDIS_TEXT ? reply->bytes + node[1].is.at : "";
    dbm_status st = DBM_OK;
    DBM_ASSERT(node != NULL);
    r->building = NULL;
    if (node->size == (*word == 'p' ? 4u : 3u) && strcmp(word + (*word == 'p' || (*word == 's' && word[1] == 'm')), "message") == 0 && reply->count == node->size + 1) {
        *r->news_end = reply;
        r->news_end = &reply->next;
        reply->next = NULL;
        return DBM_OK;
    }
    if (reply->error != 0) {
        st = dbm__redis_refused(r, reply->bytes + node->is.at, node->size, 0, 0);
        r->confirm = 0; /* it is the only one, whatever was asked for */
    } else if (r->confirm-- == 0) {
        st = dbm__redis_lost(r, "the server ended a subscription by itself");
    }
    dbm__redis_reply_spare(r, reply);
    return st;
}

static dbm_value dbm__redis_told_text(const dbm__redis_reply *reply, size_t i) {
    const dbm__redis_node *node = &reply->nodes[i];
    dbm_value v = dbm_textn(reply->bytes + node->is.at, node->size);
    if (!dbm__redis_is_text(v.as.text.data, v.as.text.size)) v.type = DBM_TYPE_BLOB;
    return v;
}

/* The oldest message is handed out; false: there is none. */
static bool dbm__redis_tell(dbm__redis *r, dbm_op *op) {
    const dbm__redis_reply *news = r->news;
    if (r->told != NULL) dbm__redis_reply_spare(r, r->told);
    r->told = r->news;
    if (news == NULL) return false;
    r->news = news->next;
    if (r->news == NULL) r->news_end = &r->news;
    r->notification.pattern = news->count == 5 ? dbm__redis_told_text(news, 2) : dbm_null();
    r->notification.channel = dbm__redis_told_text(news, news->count - 2);
    r->notification.payload = dbm__redis_told_text(news, news->count - 1);
    r->notification.process = 0;
    op->native = &r->notification;
    return true;
}

/* Sends and reads until there is a message, or until all is confirmed. */
static dbm_step dbm__redis_listen(dbm__redis *r, dbm_op *op) {
    dbm__redis_push(r);
    op->fd = r->fd;
    op->wake_us = INT64_MAX;
    while (op->status == DBM_OK && (op->kind == DBM_OP_NOTIFIED ? !dbm__redis_tell(r, op) : r->confirm != 0)) {
        void *got = NULL;
        dbm_status st = DBM_OK;
        if ((r->building == NULL && (r->building = dbm__redis_reply_new(r)) == NULL) || redisReaderGetReply(r->reader, &got) != REDIS_OK) {
            op->status = dbm__redis_garbage(r);
        } else if (got != NULL) {
            op->status = dbm__redis_told(r);
        } else if ((st = dbm__redis_gather(r)) == DBM_E_TIMEOUT) {
            return r->out_size != 0 ? DBM_STEP_BOTH : DBM_STEP_READ;
        } else if (st != DBM_OK) {
            op->status = dbm__redis_hung_up(r, st);
        } else {
            if (redisReaderFeed(r->reader, r->raw, r->raw_size) != REDIS_OK) op->status = dbm__redis_garbage(r);
            r->raw_size = 0;
        }
    }
    return DBM_STEP_DONE;
}

static void dbm__redis_building_drop(dbm__redis *r) {
    if (r->building != NULL) dbm__redis_reply_spare(r, r->building);
    r->building = NULL;
}

/* The end of an operation. A cancel that came meanwhile has shut the socket; false: it is about to. */
static bool dbm__redis_over(dbm__redis *r, dbm_op *op) {
    dbm__word busy = DBM__REDIS_BUSY;
    r->done = true;
    if (DBM__UNLIKELY(!dbm__cas(&r->busy, &busy, DBM__REDIS_IDLE))) {
        dbm_adapter_broken(r->connection);
        if (dbm__load_acquire(&r->busy) != DBM__REDIS_CANCELLED) return false;
        dbm__store(&r->busy, DBM__REDIS_IDLE);
    }
    op->state = NULL;
    dbm__redis_building_drop(r);
    return true;
}

static void dbm__redis_disconnect(dbm_connection *c, dbm_disconnect how) {
    dbm__redis *r = (dbm__redis *)dbm_adapter_data(c);
    (void)how; /* closing says all there is to say; in a child process it says nothing to the server, for the parent still has it open */
    dbm_adapter_set_data(c, NULL);
    if (r != NULL) dbm__redis_free(r);
}

static dbm_step dbm__redis_step(dbm_connection *c, dbm_op *op) {
    dbm__redis *r = (dbm__redis *)op->state;
    dbm_step want = DBM_STEP_DONE;
    if (r == NULL) return DBM_STEP_DONE; /* start did it all */
    if (DBM__UNLIKELY(r->phase == DBM__REDIS_DIAL)) {
        want = dbm__dial_step(&r->dial, r->db->host, op->deadline_us);
        op->fd = r->dial.fd;
        op->wake_us = r->dial.wake_us;
        if (want != DBM_STEP_DONE) return want;
        op->status = r->dial.status == DBM_OK ? dbm__redis_reached(r) : dbm__redis_not_reached(r);
    }
#if DBM_HAS_REDIS_TLS
    if (r->phase == DBM__REDIS_SHAKE && op->status == DBM_OK) {
        want = dbm__redis_tls_shake(r, &op->status);
        op->fd = r->fd;
        op->wake_us = INT64_MAX;
        if (want != DBM_STEP_DONE) return want;
        if (op->status == DBM_OK) op->status = dbm__redis_greet(r, false);
    }
#endif
    if (r->phase == DBM__REDIS_TALK && !r->done && (op->status == DBM_OK || op->kind == DBM_OP_SYNC)) want = r->listening ? dbm__redis_listen(r, op) : dbm__redis_flow(r, op);
    if (want != DBM_STEP_DONE || op->kind == DBM_OP_NOTIFIED) return want;
    if (DBM__UNLIKELY(!dbm__redis_over(r, op))) {
        op->fd = -1;
        op->wake_us = dbm_adapter_clock(r->db) + 50;
        return DBM_STEP_TIMER;
    }
    if (DBM__UNLIKELY(op->kind == DBM_OP_CONNECT) && op->status == DBM_OK) dbm__wipe(r->out, r->out_room); /* the password was in it */
    else if (DBM__UNLIKELY(op->kind == DBM_OP_CONNECT)) dbm__redis_disconnect(c, DBM_DISCONNECT_BROKEN);
    return DBM_STEP_DONE;
}

static dbm_status dbm__redis_no_sql(dbm_connection *c) {
    return dbm_adapter_fail(c, DBM_E_UNSUPPORTED, NULL, 0, "Redis has no SQL: call dbm_redis_command(s, \"SET %s %s\", key, value), dbm_redis_get and their fellows");
}

/* A command is put into the pipeline, or is the one to be waited for. DBM_E_UNSUPPORTED, and nothing was done: it is full. */
static dbm_status dbm__redis_take_on(dbm__redis *r, dbm_op *op) {
    dbm_status st = dbm__redis_look(r, op);
    if (DBM__UNLIKELY(st != DBM_OK)) return st;
    if (op->no_wait && op->reply && (r->command != DBM__REDIS_PLAIN || dbm__redis_waits(op))) return DBM_E_UNSUPPORTED;
    /* In MULTI it is only queued: lost with the connection, and not in doubt. Where MULTI may be among what is unanswered, EXEC runs all that writes. */
    if (DBM__UNLIKELY(r->command == DBM__REDIS_EXEC)) {
        op->write = op->write || ((r->multi || r->unanswered != 0) && r->queued_writes);
    } else {
        if (r->command == DBM__REDIS_MULTI && !r->multi) r->queued_writes = false;
        r->queued_writes = r->queued_writes || op->write;
        if (r->multi && r->unanswered == 0 && !op->no_wait) op->write = false;
    }
    if (DBM__UNLIKELY(r->raw_size - r->raw_at > op->row_buffer && op->row_buffer != 0)) return dbm__redis_too_much(r);
    if (op->no_wait && dbm__redis_full(r)) return DBM_E_UNSUPPORTED;
    st = dbm__redis_append(r, op);
    op->queued = op->no_wait && st == DBM_OK;
    return st;
}

/* The reply that has come already. */
static dbm_status dbm__redis_received(dbm__redis *r, dbm_op *op) {
    dbm_status st = dbm__redis_given(r, op, false);
    if (DBM__UNLIKELY(st != DBM_OK)) dbm__redis_building_drop(r);
    return st;
}

static void dbm__redis_finish(dbm__redis *r, dbm_op *op) {
    if (op->result != NULL) dbm__redis_reply_spare(r, (dbm__redis_reply *)op->result);
    op->result = NULL;
}

static void dbm__redis_start(dbm_connection *c, dbm_op *op) {
    dbm__redis *r = (dbm__redis *)dbm_adapter_data(c);
    bool fits = true;
    op->state = NULL;
    switch (op->kind) {
    case DBM_OP_FETCH: op->status = dbm__redis_fetch(c, op); return;
    case DBM_OP_FINISH: dbm__redis_finish(r, op); return;
    case DBM_OP_HOLD: return; /* rows are complete */
    case DBM_OP_EXECUTE: case DBM_OP_PREPARE: case DBM_OP_SCRIPT: op->status = dbm__redis_no_sql(c); return;
    case DBM_OP_NATIVE:
        op->status = dbm_adapter_fail(c, DBM_E_UNSUPPORTED, NULL, 0, "there is no redisContext behind a session: the sockets are dbm.h's own; dbm_redis_command sends any command");
        return;
    case DBM_OP_CONNECT:
        op->status = dbm__redis_make(c);
        if (op->status != DBM_OK) return;
        r = (dbm__redis *)dbm_adapter_data(c);
        break;
    case DBM_OP_COMMAND:
        op->status = dbm__redis_take_on(r, op);
        if (op->status == DBM_E_UNSUPPORTED && op->no_wait && !op->reply && r->command != DBM__REDIS_REFUSED) op->status = DBM_OK; /* it waits for room */
        else if (op->no_wait || op->status != DBM_OK) return;
        break;
    case DBM_OP_RECEIVE: case DBM_OP_SYNC:
        if (op->kind == DBM_OP_SYNC ? r->line_count != 0 : r->unanswered != 0 && r->unanswered == r->line_count) break;
        op->status = op->kind == DBM_OP_SYNC ? DBM_OK : DBM_DONE;
        if (r->line_count != 0) (void)dbm__redis_reached_end(r, op); /* it has come already */
        dbm__redis_building_drop(r);
        return;
    case DBM_OP_PING:
        if (!r->listening) fits = dbm__redis_words(r, DBM__REDIS_PLAIN, 'p', "PING", NULL, NULL);
        else fits = dbm__redis_begin(r, 1) && dbm__redis_argument(r, "PING", 4);
        r->confirm = 1;
        break;
    case DBM_OP_LISTEN:
        r->listening = true;
        r->confirm = op->value_count;
        op->status = dbm__redis_values(r, op, dbm__redis_listens[op->listen & 7]);
        if (op->status == DBM_OK) break;
        r->out_size = 0;
        return;
    case DBM_OP_NOTIFIED:
        r->done = false;
        op->state = r;
        return;
    case DBM_OP_RESET:
        if (r->changed || r->listening) {
            op->status = DBM_E_UNSUPPORTED; /* RESET would need the password again: a new connection is as cheap */
            return;
        }
        if (r->multi) fits = dbm__redis_words(r, DBM__REDIS_DISCARD, 0, "DISCARD", NULL, NULL);
        if (r->watching || (!r->multi && r->number == r->base->number)) fits = fits && dbm__redis_words(r, DBM__REDIS_UNWATCH, 0, "UNWATCH", NULL, NULL);
        if (r->number != r->base->number) fits = fits && dbm__redis_select(r, 0);
        break;
    case DBM_OP_BEGIN: case DBM_OP_COMMIT: case DBM_OP_ROLLBACK: case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO:
    case DBM_OP_UNPREPARE: case DBM_OP_BULK: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END: case DBM__OP_SIGNED:
        op->status = DBM_E_UNSUPPORTED;
        return;
    }
    if (!fits) {
        dbm_adapter_broken(c);
        op->status = dbm__redis_no_memory(c);
        return;
    }
    r->done = false;
    op->state = r;
    dbm__store_release(&r->busy, DBM__REDIS_BUSY);
}

/* What is done from memory. */
static dbm_status dbm__redis_execute(dbm_connection *c, dbm_op *op) {
    dbm__redis *r = (dbm__redis *)dbm_adapter_data(c);
    if (op->kind == DBM_OP_FINISH) {
        dbm__redis_finish(r, op);
        return DBM_OK;
    }
    if (op->kind == DBM_OP_COMMAND && op->no_wait) return dbm__redis_take_on(r, op);
    return op->kind == DBM_OP_RECEIVE && r->line_count != r->unanswered ? dbm__redis_received(r, op) : DBM_E_UNSUPPORTED;
}

static void dbm__redis_cancel(dbm_connection *c) {
    dbm__redis *r = (dbm__redis *)dbm_adapter_data(c);
    dbm__word busy = DBM__REDIS_BUSY;
    if (r == NULL || r->fd < 0 || !dbm__cas(&r->busy, &busy, DBM__REDIS_CANCELLING)) return;
    dbm__net_shut(r->fd);
    dbm__store_release(&r->busy, DBM__REDIS_CANCELLED);
}

static dbm_status dbm__redis_alive(dbm_connection *c) {
    const dbm__redis *r = (const dbm__redis *)dbm_adapter_data(c);
    dbm_status st = dbm__net_peek(r->fd);
    return st == DBM_E_UNSUPPORTED ? DBM_OK : st;
}

/* ---- the configuration ---------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__redis_check(dbm_database *db, dbm__redis_base *base) {
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    const char *number = dbm_adapter_option(db, "db"), *path = url->path != NULL ? url->path : "", *c;
    bool local = strcmp(url->scheme, "unix") == 0;
    size_t i;
    for (i = 0; i < url->parameter_count; i++) {
        if (!dbm__list_has(DBM__REDIS_OPTIONS, url->parameters[i].name, strlen(url->parameters[i].name))) {
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "the URL's parameter %q is unknown; Redis has db and client_name", url->parameters[i].name);
        }
    }
    if (url->scheme[0] == 0) return dbm__adapter_refuse(db, DBM_E_CONFIG, "the URL is %q; expected redis://host:6379/0, rediss://host or unix:///path.sock", path);
    if (config->isolation != DBM_ISOLATION_DEFAULT && config->isolation != DBM_AUTOCOMMIT) {
        return dbm_adapter_fail_init(db, DBM_E_CONFIG, "isolation_level: Redis has no transactions of that kind; leave it out");
    }
    if (config->init_sql != NULL) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "init_sql: Redis has no SQL; leave it out");
    base->secure = strcmp(url->scheme, "rediss") == 0;
    if (base->secure && config->tls != DBM_TLS_DEFAULT && config->tls < DBM_TLS_REQUIRE) {
        return dbm_adapter_fail_init(db, DBM_E_CONFIG, "tls says that it may be left out, and rediss:// asks for it: write redis://, or tls = require or better");
    }
#if !DBM_HAS_REDIS_TLS
    if (base->secure || config->tls >= DBM_TLS_REQUIRE) {
        return dbm_adapter_fail_init(db, DBM_E_CONFIG, "this hiredis has no TLS; build with hiredis 1.0 or newer, DBM_WITH_REDIS_TLS and -lhiredis_ssl -lssl -lcrypto");
    }
#endif
    if (local) {
        if (url->hosts != NULL && url->hosts[0] != 0) return dbm__adapter_refuse(db, DBM_E_CONFIG, "a local socket has no host (%s): write unix:///path/to/redis.sock", url->hosts);
        if (path[0] == 0) return dbm_adapter_fail_init(db, DBM_E_CONFIG, "the socket's path is missing: write unix:///path/to/redis.sock");
        base->path = (char *)dbm_adapter_alloc(db, strlen(path) + 2);
        if (base->path == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
        base->path[0] = '/';
        memcpy(base->path + 1, path, strlen(path) + 1);
    } else {
        base->hosts = url->hosts != NULL && url->hosts[0] != 0 ? url->hosts : "localhost";
        if (path[0] != 0 && number != NULL && strcmp(path, number) != 0) {
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "the URL's path says another database than db = %s; say it once", number);
        }
        if (path[0] != 0) number = path;
    }
    if (number != NULL) {
        for (c = number; *c >= '0' && *c <= '9'; c++) {}
        if (*c != 0 || c == number || !dbm__parse_int(number, 0, INT32_MAX, &base->number)) {
            return dbm__adapter_refuse(db, DBM_E_CONFIG, "the database %q is no number; Redis numbers them from 0 (redis://host:6379/2)", number);
        }
    }
    base->client_name = dbm_adapter_option(db, "client_name");
    if (base->client_name != NULL) {
        for (c = base->client_name; *c > ' ' && *c < 0x7F; c++) {}
        if (*c != 0) return dbm__adapter_refuse(db, DBM_E_CONFIG, "client_name %q: only visible ASCII without blanks", base->client_name);
        if (base->client_name[0] == 0) base->client_name = NULL;
    }
    return DBM_OK;
}

static void dbm__redis_close(dbm_database *db) {
    dbm__redis_base *base = (dbm__redis_base *)dbm_adapter_db_data(db);
    dbm_adapter_set_db_data(db, NULL);
    if (base == NULL) return;
#if DBM_HAS_REDIS_TLS
    SSL_CTX_free(base->tls);
    dbm__lock_free(&base->lock);
#endif
    dbm_adapter_free(db, base->path);
    dbm_adapter_free(db, base);
}

static dbm_status dbm__redis_init(dbm_database *db) {
    dbm__redis_base *base = (dbm__redis_base *)dbm_adapter_alloc(db, sizeof *base);
    dbm_status st;
    if (base == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    memset(base, 0, sizeof *base);
#if DBM_HAS_REDIS_TLS
    if (!dbm__lock_init(&base->lock)) {
        dbm_adapter_free(db, base);
        return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    }
#endif
    dbm_adapter_set_db_data(db, base);
    st = dbm__redis_check(db, base);
    if (st != DBM_OK) dbm__redis_close(db);
    return st;
}

static const dbm_adapter dbm__redis_adapter = {
    sizeof(dbm_adapter), DBM_ADAPTER_VERSION,
    "redis", "redis,rediss,unix", DBM__REDIS_OPTIONS,
    DBM_ADAPTER_SOCKET | DBM_ADAPTER_PIPELINE | DBM_ADAPTER_LISTEN | DBM_ADAPTER_REPLIES,
    DBM_PH_NATIVE, DBM_LEX_NOT_SQL,
    dbm__redis_init, dbm__redis_close,
    NULL, dbm__redis_disconnect, dbm__redis_alive, NULL, NULL, dbm__redis_cancel,
    NULL,
    dbm__redis_execute, dbm__redis_fetch, dbm__redis_column, dbm__redis_column_name,
    dbm__redis_start, dbm__redis_step,
    NULL, NULL
};

DBM__FN const dbm_adapter *dbm__adapter_redis(void) { return &dbm__redis_adapter; }

#endif /* DBM__REDIS_MISSING */
#endif /* DBM_HAS_REDIS */
