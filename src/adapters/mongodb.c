/* MongoDB: documents and transactions, through libmongoc 1.17 to 2.x.
 * May call: api/, base/, net/ (sockets), adapter/ (what a connection was told, refusals), config/ (words of options), and libmongoc with libbson.
 * Must not know: pools, sessions, other adapters.
 *
 * A database has one mongoc_client_pool_t, which keeps what the driver knows of the servers; a connection is the lease of one mongoc_client_t of it. Where a
 * credential callback brings another password, or after a fork, there is a new pool, and the old one goes with its last lease. The driver
 * watches the servers from threads of its own, repeats reads and writes that died with their connection once, and calls abort() when there is no memory. */
#include "adapters.h"
#include "../adapter/adapter.h"
#include "../config/config.h"
#include "../net/net.h"
#if DBM_HAS_MONGODB
#if defined(__has_include)
#  if __has_include(<mongoc/mongoc.h>)
#    define DBM__MONGOC_H <mongoc/mongoc.h>
#  elif __has_include(<mongoc.h>)
#    define DBM__MONGOC_H <mongoc.h>
#  endif
#else
#  define DBM__MONGOC_H <mongoc/mongoc.h>
#endif
#if !defined(DBM__MONGOC_H)
#  error "dbm: DBM_WITH_MONGODB needs mongoc/mongoc.h: install libmongoc-dev (Debian), mongo-c-driver-dev (Alpine), mongo-c-driver (macOS), and compile with `pkg-config --cflags libmongoc-1.0` (2.x: mongoc2)"
#else
#if defined(__GNUC__)
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Wpedantic"
#  pragma GCC diagnostic ignored "-Wundef"
#  pragma GCC diagnostic ignored "-Wconversion"
#  pragma GCC diagnostic ignored "-Wsign-conversion"
#  pragma GCC diagnostic ignored "-Wshadow"
#endif
#include DBM__MONGOC_H
#if defined(__GNUC__)
#  pragma GCC diagnostic pop
#endif
#if !MONGOC_CHECK_VERSION(1, 17, 0)
#  error "dbm: DBM_WITH_MONGODB needs libmongoc 1.17 or newer: put newer headers on the include path"
#endif
/* What came after 1.17, by the version of the header. */
#if MONGOC_CHECK_VERSION(1, 21, 0)
#  define DBM__MONGO_POOL_NEW(uri, error) mongoc_client_pool_new_with_error(uri, error)
#else
#  define DBM__MONGO_POOL_NEW(uri, error) (memset(error, 0, sizeof *(error)), mongoc_client_pool_new(uri))
#endif
/* Up to 2.0 a pool's client may be given streams of ours. From there on it may not, but how long it waits can be said before each operation. */
#define DBM__MONGO_STREAMS (!MONGOC_CHECK_VERSION(2, 0, 0))
#define DBM__MONGO_SOCKET_TIMEOUT MONGOC_CHECK_VERSION(1, 27, 0)

#define DBM__MONGO_OPTIONS "database,driver_log"
#define DBM__MONGO_SILENCE_MS 300000 /* what the driver waits for a reply, where nobody said anything else */

/* ---- what it keeps -------------------------------------------------------------------------------------------------------- */

/* The driver, once per process: it can't be started again after it has been ended. */
enum { DBM__MONGO_NEW = 0, DBM__MONGO_STARTED, DBM__MONGO_ENDED };
static dbm__word dbm__mongo_driver;

typedef struct dbm__mongo_pool {
    struct dbm__mongo_base *base;
    struct dbm__mongo_pool *older;
    mongoc_client_pool_t *pool;
    mongoc_uri_t *uri;
    dbm__word epoch;         /* of forks, when it was made */
    int users;
    struct dbm__mongo_wire *wires; /* of its clients */
    char *user, *password;   /* that it was made with; NULL: none */
} dbm__mongo_pool;

/* Of a database, from init to close. */
typedef struct dbm__mongo_base {
    dbm_database *db;
    dbm__lock lock;          /* guards the pools and their users */
    dbm__word epoch;         /* the fork epoch that the lock lives in */
    dbm__mongo_pool *pools;  /* newest first; only that one is leased from */
    const char *name;        /* of the database at the server */
    bool local;              /* all hosts are this one */
    bool clear;              /* a password would cross in clear */
    bool plain;              /* connections are the driver's own streams */
    int silence_ms;          /* socketTimeoutMS in force */
    int select_ms;           /* serverSelectionTimeoutMS in force */
} dbm__mongo_base;

/* One field of the document in hand: where it is. (An iterator would want memory of 128 bytes' alignment.) */
typedef struct dbm__mongo_field {
    const char *key;
    uint32_t offset, key_size;
    char *json;              /* what was written out for it */
    char small[48];
} dbm__mongo_field;

/* Documents being read: of a cursor, or one of our own. */
typedef struct dbm__mongo_result {
    struct dbm__mongo_result *next;
    mongoc_collection_t *collection;
    mongoc_cursor_t *cursor;
    bson_t *reply;           /* what the one document is, or lies in, where there is no cursor; kept, empty, for the next one */
    bool replied;
    const bson_t *doc;       /* in hand; NULL: nobody has asked for it as one */
    bson_t *made;            /* that was made of it */
    const uint8_t *data;     /* its bytes */
    size_t size;
    char *json;              /* of all of it */
    dbm__mongo_field *fields;
    int fields_room;
    int columns;
} dbm__mongo_result;

/* ---- the wire --------------------------------------------------------------------------------------------------------------
 * What a client sends to a server and hears from it goes over a stream of ours, under the driver's TLS where there is any, so that each wait of the
 * driver's knows the operation that it is for: it ends at that operation's deadline, and at dbm_cancel.
 *
 * An operation that is given up ends as if the server had said so: the driver is handed a reply "MaxTimeMSExpired" or "Interrupted" of our own. A stream
 * that failed would make it look for a server anew, send the command a second time, and take every other connection to that server for dead. From
 * then on the stream is mute: it is shut, and the first operation that meets it later drops it.
 *
 * Where the streams are the driver's own (libmongoc 2.x, whose pooled clients take no others), an operation ends at its deadline by the socket's time-out.
 * A second try of the driver's ends at once then; a cancel is heard between two messages, for nothing ends a wait from outside. */

#define DBM__MONGO_GRACE_US 500000 /* the server's own answer that time is up comes first */
#define DBM__MONGO_LOOK_US 50000   /* dbm_cancel is heard within, while a connection is made */
enum { DBM__MONGO_SHUTTING = 0x7ffffffe, DBM__MONGO_SHUT };

/* Of a client of the driver's. It lives as long as the client, which goes with its pool. */
typedef struct dbm__mongo_wire {
    struct dbm__mongo_wire *next;
    mongoc_client_t *client;
    dbm__mongo_base *base;
    const mongoc_uri_t *uri;
    dbm_connection *c;       /* the lease's; NULL: there is none */
    int64_t until_us;        /* the operation in hand is given up then; INT64_MAX: never */
    int64_t last_us;         /* given up: what it still has to do, ends then */
    bool hears;              /* dbm_cancel */
    dbm__word waits;         /* the socket that it waits for and that dbm_cancel may shut, from 1; 0: none; or what dbm_cancel is about */
    dbm_status over;         /* DBM_OK; DBM_E_TIMEOUT or DBM_E_CANCELLED: it was given up */
    int mute;                /* streams that are */
    int patience_ms;         /* plain streams: set on the client */
} dbm__mongo_wire;

/* Plain streams: the socket's time-out is what the operation has left, or as little as can be where dbm_cancel came. */
#if DBM__MONGO_SOCKET_TIMEOUT
static void dbm__mongo_patience(dbm__mongo_wire *w) {
    int64_t ms = w->base->silence_ms, left = w->until_us == INT64_MAX ? INT64_MAX : (w->until_us - dbm_adapter_clock(w->base->db)) / 1000;
    if (w->c != NULL && w->hears && dbm__load(&w->c->cancelled) != 0) left = 1;
    if (left < ms) ms = left < 1 ? 1 : left;
    if (ms != w->patience_ms) mongoc_client_set_sockettimeoutms(w->client, (int32_t)ms);
    w->patience_ms = (int)ms;
}

/* Before each try of the driver's, and after one that failed: what follows (to connect anew, too) has what is left. A pool does not say for which of its clients. */
static void dbm__mongo_tries(dbm__mongo_pool *p) {
    dbm__mongo_wire *w;
    dbm__lock_take(&p->base->lock);
    for (w = p->wires; w != NULL && w != dbm__self()->driving; w = w->next) {}
    dbm__lock_give(&p->base->lock);
    if (w != NULL && w->c != NULL) dbm__mongo_patience(w);
}
static void dbm__mongo_try_starts(const mongoc_apm_command_started_t *event) { dbm__mongo_tries((dbm__mongo_pool *)mongoc_apm_command_started_get_context(event)); }
static void dbm__mongo_try_failed(const mongoc_apm_command_failed_t *event) { dbm__mongo_tries((dbm__mongo_pool *)mongoc_apm_command_failed_get_context(event)); }
#endif

/* The operation that the driver is called for. */
static void dbm__mongo_bound(dbm__mongo_wire *w, const dbm_op *op) {
    w->until_us = op->deadline_us == INT64_MAX ? INT64_MAX : op->deadline_us + DBM__MONGO_GRACE_US;
    w->hears = op->kind == DBM_OP_COMMAND || op->kind == DBM_OP_FETCH || op->kind == DBM_OP_BULK_SEND || op->kind == DBM_OP_BULK_END;
    w->over = DBM_OK;
#if DBM__MONGO_SOCKET_TIMEOUT
    if (!w->base->plain) return;
    dbm__self()->driving = w;
    dbm__mongo_patience(w);
#endif
}

#if DBM__MONGO_STREAMS

typedef struct dbm__mongo_stream {
    mongoc_stream_t vtable;  /* the driver's; first */
    dbm__mongo_wire *wire;
    mongoc_stream_t *tls;    /* what it goes through, on top of another of ours; NULL: this one has the socket */
    int fd;
    bool late;               /* the last failure was for want of time */
    bool mute;
    uint32_t request;        /* the number of the message that was sent last, and its kind */
    uint32_t kind;
    size_t left;             /* of the reply being read, where its beginning has been */
    size_t held, taken;      /* bytes of `in` */
    char in[4096];
} dbm__mongo_stream;

enum { DBM__MONGO_OP_QUERY = 2004, DBM__MONGO_OP_MSG = 2013, DBM__MONGO_STREAM_TYPE = 100 };

static int64_t dbm__mongo_until(const dbm__mongo_wire *w, int32_t timeout_ms) {
    return timeout_ms < 0 ? INT64_MAX : dbm_adapter_clock(w->base->db) + (int64_t)timeout_ms * 1000;
}

/* Whether the operation has to be given up at this moment. */
static bool dbm__mongo_over(dbm__mongo_wire *w, int64_t now) {
    if (w->over != DBM_OK) return now >= w->last_us;
    if (w->c != NULL && w->hears && dbm__load(&w->c->cancelled) != 0) w->over = DBM_E_CANCELLED;
    else if (now >= w->until_us) w->over = DBM_E_TIMEOUT;
    else return false;
    w->last_us = now + DBM__MONGO_GRACE_US;
    return true;
}

/* Waits for the socket. False: it is lost, or there is no more time. */
static bool dbm__mongo_ready(dbm__mongo_stream *q, int want, int64_t until_us) {
    dbm__mongo_wire *w = q->wire;
    q->late = false;
    for (;;) {
        int64_t now = dbm_adapter_clock(w->base->db), limit = w->over != DBM_OK ? w->last_us : w->until_us;
        dbm__word none = 0, mine = (dbm__word)q->fd + 1;
        dbm_status heard = DBM_E_TIMEOUT;
        bool over;
        if (until_us < limit) limit = until_us;
        if (w->hears) (void)dbm__cas(&w->waits, &none, mine); /* before it is looked whether dbm_cancel came */
        over = q->mute || dbm__mongo_over(w, now);
        if (!over) heard = dbm__net_wait(w->base->db->host, q->fd, want, limit);
        if (w->hears && !dbm__cas(&w->waits, &mine, 0)) {
            while (dbm__load_acquire(&w->waits) != DBM__MONGO_SHUT) dbm__sleep_us(20);
            dbm__store(&w->waits, 0);
            over = over || dbm__mongo_over(w, now);
        }
        if (over) break;
        if (heard == DBM_OK) return true;
        if (heard != DBM_E_TIMEOUT) return false;
        if (dbm_adapter_clock(w->base->db) >= until_us) break;
    }
    q->late = true;
    return false;
}

/* errno is looked at by the driver's TLS: "try again" there would make it spin. */
static ssize_t dbm__mongo_dead(const dbm__mongo_stream *q) {
#if defined(_WIN32)
    errno = q->late ? WSAETIMEDOUT : WSAECONNRESET;
#else
    errno = q->late ? ETIMEDOUT : ECONNRESET;
#endif
    return -1;
}

/* Between `least` and `size` bytes. Once some have come the rest is mostly there too, so it is asked for before it is waited for. */
static ssize_t dbm__mongo_receive(dbm__mongo_stream *q, char *to, size_t size, size_t least, int64_t until_us) {
    size_t have = 0, n;
    bool wait = true;
    while (have == 0 || have < least) {
        dbm_status status;
        if (wait && !dbm__mongo_ready(q, DBM_STEP_READ, until_us)) return dbm__mongo_dead(q);
        status = dbm__net_receive(q->fd, to + have, size - have, &n);
        wait = status == DBM_E_TIMEOUT;
        if (status != DBM_OK && !wait) return dbm__mongo_dead(q);
        have += n;
    }
    return (ssize_t)have;
}

static bool dbm__mongo_send(dbm__mongo_stream *q, const char *data, size_t size, int64_t until_us) {
    while (size > 0) {
        size_t n;
        dbm_status status = dbm__net_send(q->fd, data, size, &n);
        data += n;
        size -= n;
        if (status == DBM_OK) continue;
        q->late = false;
        if (status != DBM_E_TIMEOUT || !dbm__mongo_ready(q, DBM_STEP_WRITE, until_us)) return false;
    }
    return true;
}

/* What the server would say to the command that was sent last, had it been told to stop. */
static void dbm__mongo_answer_for(dbm__mongo_stream *q) {
    bool cancelled = q->wire->over == DBM_E_CANCELLED;
    bson_t doc = BSON_INITIALIZER;
    uint32_t head[4];
    bson_append_double(&doc, "ok", 2, 0.0);
    bson_append_int32(&doc, "code", 4, cancelled ? 11601 : 50);
    bson_append_utf8(&doc, "errmsg", 6, cancelled ? "cancelled" : "no answer before the deadline", -1);
    head[0] = BSON_UINT32_TO_LE(21 + doc.len);
    head[1] = 0;
    head[2] = BSON_UINT32_TO_LE(q->request);
    head[3] = BSON_UINT32_TO_LE((uint32_t)DBM__MONGO_OP_MSG);
    memset(q->in, 0, 21);
    memcpy(q->in, head, sizeof head); /* then no flags, and one section of kind 0: the document */
    memcpy(q->in + 21, bson_get_data(&doc), doc.len);
    q->taken = 0;
    q->held = 21 + doc.len;
    bson_destroy(&doc);
}

static void dbm__mongo_mute(dbm__mongo_stream *q) {
    if (q->mute) return;
    q->mute = true;
    q->wire->mute++;
    if (q->tls == NULL) dbm__net_shut(q->fd); /* the server stops what nobody waits for any more */
    else (void)mongoc_stream_close(q->tls);
}

static ssize_t dbm__mongo_read(dbm__mongo_stream *q, char *to, size_t size, size_t least, int32_t timeout_ms) {
    size_t have = 0, n;
    ssize_t got;
    int64_t until_us = 0;
    while (have == 0 || have < least) {
        n = q->held - q->taken;
        if (n != 0) {
            if (n > size - have) n = size - have;
            memcpy(to + have, q->in + q->taken, n);
            q->taken += n;
            have += n;
            continue;
        }
        if (q->mute) return -1;
        if (q->tls != NULL) {
            got = mongoc_stream_read(q->tls, to + have, size - have, least > have ? least - have : 0, timeout_ms);
        } else {
            if (until_us == 0) until_us = dbm__mongo_until(q->wire, timeout_ms);
            if (size - have >= sizeof q->in) {
                got = dbm__mongo_receive(q, to + have, size - have, least > have ? least - have : 0, until_us);
            } else {
                got = dbm__mongo_receive(q, q->in, sizeof q->in, least > have ? least - have : 0, until_us);
                q->taken = 0;
                q->held = got > 0 ? (size_t)got : 0;
                if (got > 0) continue;
            }
        }
        if (got <= 0) return -1;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static bool dbm__mongo_timed_out(mongoc_stream_t *stream) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)(void *)stream;
    return q->mute || (q->tls != NULL ? mongoc_stream_timed_out(q->tls) : q->late);
}

static ssize_t dbm__mongo_readv(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t count, size_t least, int32_t timeout_ms) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)(void *)stream;
    ssize_t sum = 0;
    size_t i;
    for (i = 0; i < count; i++) {
        char *to = (char *)iov[i].iov_base;
        size_t size = iov[i].iov_len, need = (size_t)sum < least ? least - (size_t)sum : 0;
        ssize_t got = -1;
        if (sum > 0 && need == 0) break;
        if (need > size) need = size;
        if (!q->mute || q->held > q->taken) got = dbm__mongo_read(q, to, size, need, timeout_ms);
        if (got < 0 && q->left == 0 && q->kind != 0 && q->kind != DBM__MONGO_OP_QUERY) {
            dbm__mongo_wire *w = q->wire;
            if (w->over == DBM_OK && w->c != NULL && !q->mute && dbm__mongo_timed_out(stream)) { /* the driver's own patience is over */
                w->over = DBM_E_TIMEOUT;
                w->last_us = dbm_adapter_clock(w->base->db) + DBM__MONGO_GRACE_US;
            }
            if (w->over != DBM_OK) {
                dbm__mongo_mute(q);
                dbm__mongo_answer_for(q);
                got = dbm__mongo_read(q, to, size, need, timeout_ms);
            }
        }
        if (got < 0) return dbm__mongo_dead(q);
        sum += got;
        if (q->left == 0 && got == 4) { /* the driver reads a reply by its size */
            uint32_t total;
            memcpy(&total, to, 4);
            total = BSON_UINT32_FROM_LE(total);
            q->left = total > 4 ? total - 4 : 0;
        } else {
            q->left = q->left > (size_t)got ? q->left - (size_t)got : 0;
        }
    }
    return sum;
}

/* All of it in as few calls as can be: the driver's messages come in a dozen small pieces and one large one. */
static ssize_t dbm__mongo_write(dbm__mongo_stream *q, const mongoc_iovec_t *iov, size_t count, int32_t timeout_ms) {
    char *out = q->in;
    size_t n = 0, i, sum = 0, room = count > 1 && q->taken == q->held ? sizeof q->in : 0; /* of TLS something may be held at any time */
    int64_t until_us = dbm__mongo_until(q->wire, timeout_ms);
    for (i = 0; i < count; i++) {
        const char *data = (const char *)iov[i].iov_base;
        size_t size = iov[i].iov_len;
        sum += size;
        while (size > 0) {
            size_t part = room - n;
            if (n == 0 && size > room) {
                if (!dbm__mongo_send(q, data, size, until_us)) return -1;
                break;
            }
            if (part > size) part = size;
            memcpy(out + n, data, part);
            n += part;
            data += part;
            size -= part;
            if (n < room) continue;
            if (!dbm__mongo_send(q, out, n, until_us)) return -1;
            n = 0;
        }
    }
    return n == 0 || dbm__mongo_send(q, out, n, until_us) ? (ssize_t)sum : -1;
}

static ssize_t dbm__mongo_writev(mongoc_stream_t *stream, mongoc_iovec_t *iov, size_t count, int32_t timeout_ms) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)(void *)stream;
    dbm__mongo_wire *w = q->wire;
    uint32_t words[4] = { 0, 0, 0, 0 };
    size_t sum = 0, i;
    ssize_t sent = -1;
    for (i = 0; i < count; i++) {
        if (sum < sizeof words) memcpy((char *)words + sum, iov[i].iov_base, iov[i].iov_len < sizeof words - sum ? iov[i].iov_len : sizeof words - sum);
        sum += iov[i].iov_len;
    }
    q->request = BSON_UINT32_FROM_LE(words[1]);
    q->kind = BSON_UINT32_FROM_LE(words[3]);
    q->left = 0;
    if (!q->mute && (w->over == DBM_OK || q->kind == DBM__MONGO_OP_QUERY)) {
        sent = q->tls != NULL ? mongoc_stream_writev(q->tls, iov, count, timeout_ms) : dbm__mongo_write(q, iov, count, timeout_ms);
    }
    if (sent < 0 && w->over != DBM_OK && q->kind != DBM__MONGO_OP_QUERY) { /* it will read its answer next */
        dbm__mongo_mute(q);
        q->taken = q->held = 0;
        return (ssize_t)sum;
    }
    return sent < 0 ? dbm__mongo_dead(q) : sent;
}

static int dbm__mongo_close_stream(mongoc_stream_t *stream) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)(void *)stream;
    if (q->tls != NULL) return mongoc_stream_close(q->tls);
    dbm__net_shut(q->fd);
    return 0;
}

static void dbm__mongo_destroy_stream(mongoc_stream_t *stream) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)(void *)stream;
    if (q->mute) q->wire->mute--;
    if (q->tls != NULL) mongoc_stream_destroy(q->tls); /* with the one below it */
    else dbm__net_close(q->fd);
    dbm_adapter_free(q->wire->base->db, q);
}

static int dbm__mongo_flush_stream(mongoc_stream_t *stream) { (void)stream; return 0; }
static mongoc_stream_t *dbm__mongo_below(mongoc_stream_t *stream) { return ((dbm__mongo_stream *)(void *)stream)->tls; }
static bool dbm__mongo_no_retry(mongoc_stream_t *stream) { (void)stream; return false; }

static bool dbm__mongo_is_closed(mongoc_stream_t *stream) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)(void *)stream;
    return q->mute || (q->tls != NULL ? mongoc_stream_check_closed(q->tls) : dbm__net_peek(q->fd) == DBM_E_LOST);
}

/* Asked for by the driver's TLS, for the one stream below it. */
static ssize_t dbm__mongo_poll(mongoc_stream_poll_t *streams, size_t count, int32_t timeout_ms) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)(void *)streams[0].stream;
    int want = ((streams[0].events & POLLIN) != 0 ? (int)DBM_STEP_READ : 0) | ((streams[0].events & POLLOUT) != 0 ? (int)DBM_STEP_WRITE : 0);
    if (count != 1) return dbm__mongo_dead(q);
    streams[0].revents = 0;
    if (!dbm__mongo_ready(q, want, dbm__mongo_until(q->wire, timeout_ms))) return q->late ? 0 : dbm__mongo_dead(q);
    streams[0].revents = streams[0].events;
    return 1;
}

/* With a socket, or (fd < 0) going through TLS. Owns them only where it succeeds. */
static mongoc_stream_t *dbm__mongo_stream_new(dbm__mongo_wire *w, int fd, mongoc_stream_t *tls) {
    dbm__mongo_stream *q = (dbm__mongo_stream *)dbm_adapter_alloc(w->base->db, sizeof *q);
    if (q == NULL) return NULL;
    memset(q, 0, sizeof *q - sizeof q->in);
    q->vtable.type = DBM__MONGO_STREAM_TYPE;
    q->vtable.destroy = q->vtable.failed = dbm__mongo_destroy_stream;
    q->vtable.close = dbm__mongo_close_stream;
    q->vtable.flush = dbm__mongo_flush_stream;
    q->vtable.writev = dbm__mongo_writev;
    q->vtable.readv = dbm__mongo_readv;
    q->vtable.check_closed = dbm__mongo_is_closed;
    q->vtable.poll = dbm__mongo_poll;
    q->vtable.timed_out = dbm__mongo_timed_out;
    q->vtable.should_retry = dbm__mongo_no_retry;
    if (tls != NULL) q->vtable.get_base_stream = dbm__mongo_below; /* the driver walks down while there is one */
    q->wire = w;
    q->fd = fd;
    q->tls = tls;
    return &q->vtable;
}

#if defined(MONGOC_ENABLE_SSL)
/* Takes the stream below over in any case. */
static mongoc_stream_t *dbm__mongo_encrypt(dbm__mongo_wire *w, mongoc_stream_t *below, const char *host, int32_t timeout_ms, bson_error_t *error) {
    const mongoc_uri_t *uri = w->uri;
    bool insecure = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSINSECURE, false);
    mongoc_ssl_opt_t options;
    mongoc_stream_t *tls, *stream;
    memset(&options, 0, sizeof options);
    options.pem_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILE, NULL);
    options.pem_pwd = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, NULL);
    options.ca_file = mongoc_uri_get_option_as_utf8(uri, MONGOC_URI_TLSCAFILE, NULL);
    options.weak_cert_validation = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDCERTIFICATES, insecure);
    options.allow_invalid_hostname = mongoc_uri_get_option_as_bool(uri, MONGOC_URI_TLSALLOWINVALIDHOSTNAMES, insecure);
    tls = mongoc_stream_tls_new_with_hostname(below, host, &options, 1);
    if (tls == NULL) {
        mongoc_stream_destroy(below);
        bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "Failed initialize TLS state.");
        return NULL;
    }
    if (mongoc_stream_tls_handshake_block(tls, host, timeout_ms, error)) {
        stream = dbm__mongo_stream_new(w, -1, tls);
        if (stream != NULL) return stream;
        bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "%s", dbm_status_text(DBM_E_NOMEM));
    }
    mongoc_stream_destroy(tls);
    return NULL;
}
#endif

/* The driver wants a connection to a server: its stream initiator. */
static mongoc_stream_t *dbm__mongo_dial(const mongoc_uri_t *uri, const mongoc_host_list_t *host, void *ud, bson_error_t *error) {
    dbm__mongo_wire *w = (dbm__mongo_wire *)ud;
    const dbm_config *config = dbm_adapter_config(w->base->db);
    int32_t connect_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 10000);
    int64_t until_us = dbm__mongo_until(w, connect_ms);
    mongoc_stream_t *stream;
    dbm__dial d;
    dbm_step want;
    dbm__dial_init(&d);
    if (host->family == AF_UNIX) d.path = host->host;
    else d.hosts = host->host_and_port;
    d.port = host->port;
    d.keepalive_ms = config->tcp_keepalive_ms;
    d.user_timeout_ms = config->tcp_user_timeout_ms;
    while ((want = dbm__dial_step(&d, w->base->db->host, until_us)) != DBM_STEP_DONE) {
        int64_t now = dbm_adapter_clock(w->base->db), next = d.wake_us < now + DBM__MONGO_LOOK_US ? d.wake_us : now + DBM__MONGO_LOOK_US;
        if (dbm__mongo_over(w, now)) break;
        (void)dbm__net_wait(w->base->db->host, d.fd, (int)want, next);
    }
    stream = want == DBM_STEP_DONE && d.status == DBM_OK ? dbm__mongo_stream_new(w, d.fd, NULL) : NULL;
    if (stream == NULL) {
        if (want == DBM_STEP_DONE && d.status == DBM_OK) dbm__net_close(d.fd);
        dbm__dial_end(&d);
        bson_set_error(error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_CONNECT, "Failed to connect to target host: %s", d.problem[0] != 0 ? d.problem : host->host_and_port);
        return NULL;
    }
#if defined(MONGOC_ENABLE_SSL)
    {
        const char *mechanism = mongoc_uri_get_auth_mechanism(uri);
        if (mongoc_uri_get_tls(uri) || (mechanism != NULL && strcmp(mechanism, "MONGODB-X509") == 0)) return dbm__mongo_encrypt(w, stream, host->host, connect_ms, error);
    }
#endif
    return stream;
}
#endif /* DBM__MONGO_STREAMS */

/* Of a connection. */
typedef struct dbm__mongo_lease {
    dbm_connection *c;
    dbm_database *owner;
    dbm__mongo_base *base;
    dbm__mongo_pool *pool;
    mongoc_client_t *client;
    dbm__mongo_wire *wire;   /* the client's */
    mongoc_client_session_t *session; /* made for the first transaction */
    dbm__mongo_result *spare;
    struct dbm__mongo_bulk *bulk; /* that is open */
    mongoc_collection_t *kept;
    bool changed;            /* the program has had the client for itself */
    int64_t document;        /* of insert_many, being read; -1: none */
} dbm__mongo_lease;

/* ---- failures ----------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__mongo_say(dbm__mongo_lease *m, dbm_status status, int native, const char *format, ...) {
    char block[1000];
    dbm__text t = dbm__text_in(block, sizeof block);
    va_list ap;
    if (m->document >= 0) dbm__putf(&t, "insert_many: document %l (counted from 0): ", m->document);
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    dbm__text_end(&t);
    return dbm_adapter_fail(m->c, status, NULL, native, block);
}

static bool dbm__mongo_late(const dbm__mongo_lease *m, int64_t deadline_us) {
    return deadline_us != INT64_MAX && dbm_adapter_clock(m->owner) >= deadline_us;
}

/* Which of our statuses a server's code is. Source: MongoDB's error_codes.yml, and the specification of retryable writes. */
static dbm_status dbm__mongo_status(uint32_t code, const char **sqlstate, bool *retryable) {
    *sqlstate = NULL;
    *retryable = false;
    switch (code) {
    case 11000: case 11001: case 12582: *sqlstate = "23505"; return DBM_E_CONSTRAINT;
    case 121: *sqlstate = "23514"; return DBM_E_CONSTRAINT;
    case 112: case 246: case 251: *sqlstate = "40001"; *retryable = true; return DBM_E_SERIALIZATION; /* WriteConflict, SnapshotUnavailable, NoSuchTransaction */
    case 50: case 262: return DBM_E_TIMEOUT;                                            /* MaxTimeMSExpired, ExceededTimeLimit */
    case 24: *retryable = true; return DBM_E_TIMEOUT;                                   /* LockTimeout */
    case 18: case 13: *sqlstate = "28000"; return DBM_E_AUTH;
    case 10107: case 13435: case 10058: case 189: *sqlstate = "25006"; *retryable = true; return DBM_E_READ_ONLY; /* it is no primary, or not any more */
    case 91: case 11600: case 11602: case 13436: case 43: case 237: *retryable = true; return DBM_E_LOST;        /* it shuts down, or the cursor is gone */
    case 6: case 7: case 89: case 9001: *retryable = true; return DBM_E_LOST;                                    /* it lost a host behind it */
    case 11601: *sqlstate = "57014"; return DBM_E_CANCELLED;
    case 59: case 115: case 263: case 20: return DBM_E_UNSUPPORTED;
    case 10334: case 17280: case 146: case 292: case 16819: *sqlstate = "54000"; return DBM_E_LIMIT;
    case 64: case 100: return DBM_E_IN_DOUBT; /* done at the primary, not known to be kept */
    default: return DBM_E_SQL;
    }
}

/* The index of "E11000 duplicate key error collection: db.users index: email_1 dup key: { ... }". */
static void dbm__mongo_index(const char *said, char *out, size_t room) {
    const char *begin = strstr(said, "index: "), *end;
    size_t n;
    out[0] = 0;
    if (begin == NULL) return;
    begin += 7;
    end = strstr(begin, " dup key");
    n = end != NULL ? (size_t)(end - begin) : strcspn(begin, " ");
    if (n >= room) n = room - 1;
    memcpy(out, begin, n);
    out[n] = 0;
}

/* Whether it was TLS that failed. The driver has no code of its own for it: its words are the same from 1.17 to 2.x. */
static bool dbm__mongo_is_tls(const char *said) {
    return strstr(said, "TLS handshake") != NULL || strstr(said, "initialize TLS state") != NULL || strstr(said, "create TLS stream") != NULL;
}

/* What the driver or the server said about a command. `what` is its name, `coll` its collection or NULL; reply may be NULL. */
static DBM__NOINLINE dbm_status dbm__mongo_fail(dbm__mongo_lease *m, const dbm_op *op, const bson_error_t *error, const bson_t *reply, const char *what, const char *coll) {
    const char *sqlstate = NULL, *said = error->message[0] != 0 ? error->message : "no reason was given";
    char block[900], index[128];
    dbm__text t = dbm__text_in(block, sizeof block);
    bool retryable = false, transient = reply != NULL && mongoc_error_has_label(reply, "TransientTransactionError");
    bool network = error->domain == MONGOC_ERROR_STREAM || (error->domain == MONGOC_ERROR_PROTOCOL && error->code == (uint32_t)MONGOC_ERROR_PROTOCOL_INVALID_REPLY);
    dbm_status status = m->wire->over;
    if (status != DBM_OK) {
        dbm_adapter_broken(m->c);
        return dbm__mongo_say(m, status, (int)error->code, "%s%s%q: %s", what, coll != NULL ? " in " : "", coll,
                              status == DBM_E_CANCELLED ? "cancelled; the connection was closed, for the driver can't take a command back"
                              : dbm__mongo_late(m, op->deadline_us) ? "no answer before the deadline; the connection is closed"
                                                                    : "the server was silent for longer than socket_timeout; the connection is closed");
    }
    if (error->domain == MONGOC_ERROR_SERVER_SELECTION) {
        bool late = dbm__mongo_late(m, op->deadline_us) && op->kind != DBM_OP_CONNECT;
        status = dbm__mongo_is_tls(said) ? DBM_E_TLS : late ? DBM_E_TIMEOUT : DBM_E_CONNECT;
        if (strstr(said, "Authentication failed") != NULL) status = DBM_E_AUTH;
        retryable = status == DBM_E_CONNECT;
        network = false;
    } else if (network && dbm__mongo_is_tls(said)) {
        status = DBM_E_TLS;
    } else if (network) {
        status = dbm__mongo_late(m, op->deadline_us) ? DBM_E_TIMEOUT : DBM_E_LOST;
        retryable = status == DBM_E_LOST;
    } else if (error->domain == MONGOC_ERROR_CLIENT && error->code == (uint32_t)MONGOC_ERROR_CLIENT_AUTHENTICATE) {
        status = DBM_E_AUTH;
        sqlstate = "28000";
    } else if (error->domain == MONGOC_ERROR_SCRAM || error->domain == MONGOC_ERROR_SASL) {
        status = DBM_E_AUTH;
    } else if (error->domain == MONGOC_ERROR_CLIENT && error->code == (uint32_t)MONGOC_ERROR_CLIENT_SESSION_FAILURE) {
        status = DBM_E_UNSUPPORTED;
    } else if (error->domain == MONGOC_ERROR_BSON && error->code == (uint32_t)MONGOC_ERROR_BSON_INVALID) {
        status = DBM_E_RANGE;
    } else if (error->domain == MONGOC_ERROR_CLIENT && error->code == (uint32_t)MONGOC_ERROR_CLIENT_TOO_BIG) {
        status = DBM_E_LIMIT;
    } else if (error->domain == MONGOC_ERROR_SERVER || error->domain == MONGOC_ERROR_WRITE_CONCERN) {
        status = dbm__mongo_status(error->domain == MONGOC_ERROR_WRITE_CONCERN && error->code == 0 ? 64u : error->code, &sqlstate, &retryable);
        if (status == DBM_E_SQL && error->domain == MONGOC_ERROR_WRITE_CONCERN) status = DBM_E_IN_DOUBT;
        if (op->kind == DBM_OP_CONNECT && status != DBM_E_AUTH) status = DBM_E_CONNECT;
    } else {
        status = DBM_E_SQL;
    }
    if (transient && !network && status != DBM_E_LOST) { /* the transaction as a whole may be run again */
        if (status == DBM_E_SQL || status == DBM_E_TIMEOUT || status == DBM_E_UNSUPPORTED) status = DBM_E_SERIALIZATION;
        sqlstate = status == DBM_E_SERIALIZATION ? "40001" : sqlstate;
        retryable = true;
    }
    if (coll != NULL) dbm__putf(&t, "%s in %q: ", what, coll);
    else dbm__putf(&t, "%s: ", what);
    if (network && status == DBM_E_TIMEOUT) dbm__put(&t, "no answer before the deadline; the connection is closed: ");
    dbm__put(&t, said);
    if (status == DBM_E_UNSUPPORTED && error->code == 20 && m->session != NULL && mongoc_client_session_in_transaction(m->session)) {
        dbm__put(&t, ": a transaction needs a replica set");
    }
    dbm__text_end(&t);
    dbm__mongo_index(said, index, sizeof index);
    dbm_adapter_fail(m->c, status, sqlstate, (int)error->code, block);
    if (status == DBM_E_CONSTRAINT) {
        dbm_constraint kind = error->code == 121 ? DBM_CONSTRAINT_CHECK : strcmp(index, "_id_") == 0 || strcmp(index, "_id") == 0 ? DBM_CONSTRAINT_PRIMARY_KEY : DBM_CONSTRAINT_UNIQUE;
        dbm_adapter_fail_constraint(m->c, kind, index);
    }
    if (retryable) dbm_adapter_fail_retryable(m->c);
    if (network || status == DBM_E_CONNECT || status == DBM_E_TLS || status == DBM_E_AUTH) dbm_adapter_broken(m->c);
    return status;
}

/* ---- JSON with placeholders -------------------------------------------------------------------------------------------------------
 * Read straight into BSON. Left to libbson is what extended JSON says by objects of its own ({"$oid": ...}), strings with escapes, and numbers that
 * are no small integers. */

/* The values of a call that stand for placeholders, taken in order. */
typedef struct dbm__mongo_args { const dbm_value *values; int count, next; } dbm__mongo_args;

typedef struct dbm__mongo_json {
    dbm__mongo_lease *m;
    const char *begin, *at, *end;
    dbm__mongo_args *args;   /* NULL: it is a value itself, which has no placeholders, and is never shown */
    dbm_status status;
} dbm__mongo_json;

static bool dbm__mongo_bad(dbm__mongo_json *j, const char *why) {
    char near_it[40];
    size_t at = (size_t)(j->at - j->begin), i, n = 0;
    for (i = at > 16 ? at - 16 : 0; j->begin + i < j->end && n + 1 < sizeof near_it && i < at + 16; i++) near_it[n++] = (unsigned char)j->begin[i] < ' ' ? ' ' : j->begin[i];
    near_it[n] = 0;
    if (j->args == NULL) j->status = dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "a value's JSON is not right at byte %z: %s", at, why);
    else j->status = dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "the JSON is not right at byte %z (%q): %s", at, near_it, why);
    return false;
}

static bool dbm__mongo_hex(const char *text, size_t size, uint8_t *out, size_t bytes) {
    size_t i, n = 0;
    for (i = 0; i < size; i++) {
        char c = text[i];
        int d = dbm__hex(c);
        if (c == '-' && bytes == 16 && (i == 8 || i == 13 || i == 18 || i == 23)) continue;
        if (d < 0 || n == bytes * 2) return false;
        out[n / 2] = (uint8_t)(n % 2 != 0 ? out[n / 2] | d : d << 4);
        n++;
    }
    return n == bytes * 2;
}

static dbm_status dbm__mongo_parse(dbm__mongo_lease *m, const char *json, size_t size, dbm__mongo_args *args, bson_t *out, bool *array);

static dbm_status dbm__mongo_range(dbm__mongo_lease *m, int number, const char *why) {
    return dbm__mongo_say(m, DBM_E_RANGE, 0, "value %d %s", number, why);
}

/* One value under one key. Only a failure of libbson's own limits (a document of 2 GiB) answers false. */
static dbm_status dbm__mongo_append(dbm__mongo_lease *m, bson_t *b, const char *key, int key_size, const dbm_value *v, int number) {
    bool ok = false;
    uint8_t bytes[16];
    if (v->type >= DBM_TYPE_TEXT && v->type != DBM_TYPE_TIMESTAMP && v->as.text.size > 0x7fffff00u) return dbm__mongo_range(m, number, "has more bytes than a document can hold");
    switch (v->type) {
    case DBM_TYPE_NULL: ok = bson_append_null(b, key, key_size); break;
    case DBM_TYPE_INT:
        if (v->as.integer >= INT32_MIN && v->as.integer <= INT32_MAX) ok = bson_append_int32(b, key, key_size, (int32_t)v->as.integer);
        else ok = bson_append_int64(b, key, key_size, v->as.integer);
        break;
    case DBM_TYPE_UINT:
        if (v->as.uinteger > (uint64_t)INT64_MAX) return dbm__mongo_range(m, number, "is over 2^63 - 1, and BSON has no unsigned integers");
        if (v->as.uinteger <= (uint64_t)INT32_MAX) ok = bson_append_int32(b, key, key_size, (int32_t)v->as.uinteger);
        else ok = bson_append_int64(b, key, key_size, (int64_t)v->as.uinteger);
        break;
    case DBM_TYPE_DOUBLE: ok = bson_append_double(b, key, key_size, v->as.real); break;
    case DBM_TYPE_BOOL: ok = bson_append_bool(b, key, key_size, v->as.integer != 0); break;
    case DBM_TYPE_TIMESTAMP: {
        int64_t us = v->as.integer, ms = us / 1000;
        if (us % 1000 < 0) ms--;
        ok = bson_append_date_time(b, key, key_size, ms);
        break;
    }
    case DBM_TYPE_TEXT:
        if (v->name != NULL) { /* dbm_oid */
            bson_oid_t oid;
            if (!dbm__mongo_hex(v->as.text.data, v->as.text.size, bytes, 12)) return dbm__mongo_range(m, number, "is no ObjectId: 24 hex digits");
            bson_oid_init_from_data(&oid, bytes);
            ok = bson_append_oid(b, key, key_size, &oid);
            break;
        }
        if (!bson_utf8_validate(v->as.text.data, v->as.text.size, true)) return dbm__mongo_range(m, number, "is a text that is not UTF-8; pass bytes as dbm_blob(p, n)");
        ok = bson_append_utf8(b, key, key_size, v->as.text.data, (int)v->as.text.size);
        break;
    case DBM_TYPE_BLOB:
        if (v->name != NULL) ok = bson_append_document(b, key, key_size, (const bson_t *)(const void *)v->as.text.data);
        else ok = bson_append_binary(b, key, key_size, BSON_SUBTYPE_BINARY, (const uint8_t *)v->as.text.data, (uint32_t)v->as.text.size);
        break;
    case DBM_TYPE_DECIMAL: {
        bson_decimal128_t d;
        char text[64];
        if (v->as.text.size >= sizeof text) return dbm__mongo_range(m, number, "has more than the 34 digits of a Decimal128");
        memcpy(text, v->as.text.data, v->as.text.size);
        text[v->as.text.size] = 0;
        if (!bson_decimal128_from_string(text, &d)) return dbm__mongo_range(m, number, "is no decimal number of up to 34 digits");
        ok = bson_append_decimal128(b, key, key_size, &d);
        break;
    }
    case DBM_TYPE_UUID:
        if (!dbm__mongo_hex(v->as.text.data, v->as.text.size, bytes, 16)) return dbm__mongo_range(m, number, "is no UUID: 8-4-4-4-12 hex digits");
        ok = bson_append_binary(b, key, key_size, BSON_SUBTYPE_UUID, bytes, 16);
        break;
    case DBM_TYPE_JSON: {
        bson_t inner = BSON_INITIALIZER;
        bool array = false;
        dbm_status status = dbm__mongo_parse(m, v->as.text.data, v->as.text.size, NULL, &inner, &array);
        ok = array ? bson_append_array(b, key, key_size, &inner) : bson_append_document(b, key, key_size, &inner);
        bson_destroy(&inner);
        if (status != DBM_OK) return status;
        break;
    }
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return ok ? DBM_OK : dbm__mongo_range(m, number, "does not fit a document any more");
}

static char dbm__mongo_skip(const char **at, const char *end) {
    while (*at < end && (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r')) ++*at;
    return *at < end ? **at : '\0';
}
/* The next character that is no blank; 0: there is none. */
static char dbm__mongo_next(dbm__mongo_json *j) { return dbm__mongo_skip(&j->at, j->end); }

/* The end of what begins here with a bracket, or of all (`whole`), and how many placeholders are in it. */
static const char *dbm__mongo_span(const char *at, const char *end, bool whole, int *marks) {
    int depth = 0;
    for (*marks = 0; at < end; at++) {
        if (*at == '"') for (at++; at < end && *at != '"'; at++) at += *at == '\\';
        else if (*at == '?') ++*marks;
        else if (*at == '{' || *at == '[') depth++;
        else if ((*at == '}' || *at == ']') && --depth <= 0 && !whole) return at + 1;
    }
    return end;
}

/* What stands until `end` is read by libbson: { "v" : it }; NULL: it is not right. */
static bson_t *dbm__mongo_foreign(dbm__mongo_json *j, const char *end, bson_iter_t *it) {
    size_t size = (size_t)(end - j->at);
    char *text = (char *)dbm_adapter_alloc(j->m->owner, size + 7);
    bson_error_t error;
    bson_t *doc;
    if (text == NULL) {
        j->status = dbm_adapter_fail(j->m->c, DBM_E_NOMEM, NULL, 0, NULL);
        return NULL;
    }
    memcpy(text, "{\"v\":", 5);
    memcpy(text + 5, j->at, size);
    memcpy(text + 5 + size, "}", 2);
    doc = bson_new_from_json((const uint8_t *)text, (ssize_t)size + 6, &error);
    dbm_adapter_free(j->m->owner, text);
    if (doc == NULL) (void)dbm__mongo_bad(j, j->args != NULL ? error.message : "no value is written like this");
    else if (!bson_iter_init_find(it, doc, "v")) (void)dbm__mongo_bad(j, "no value is written like this");
    j->at = end;
    return doc;
}

/* A string, from its quote on; what libbson made of it is to be destroyed. */
static bool dbm__mongo_string(dbm__mongo_json *j, const char **text, size_t *size, bson_t **made) {
    const char *c = j->at + 1;
    bson_iter_t it;
    uint32_t n = 0;
    bool escapes = false;
    for (; c < j->end && *c != '"' && (unsigned char)*c >= ' '; c++) {
        if (*c != '\\') continue;
        escapes = true;
        c += c + 1 < j->end;
    }
    *made = NULL;
    if (c >= j->end) return dbm__mongo_bad(j, "a string does not end");
    if (*c != '"') return dbm__mongo_bad(j, "a control character in a string is written as an escape");
    *text = j->at + 1;
    *size = (size_t)(c - *text);
    if (escapes) {
        *made = dbm__mongo_foreign(j, c + 1, &it);
        if (j->status != DBM_OK) return false;
        *text = bson_iter_utf8(&it, &n);
        *size = n;
    } else if (!bson_utf8_validate(*text, *size, true)) {
        return dbm__mongo_bad(j, "a text is not UTF-8");
    }
    j->at = c + 1;
    return true;
}

static bool dbm__mongo_members(dbm__mongo_json *j, bson_t *to, int depth);

static bool dbm__mongo_mark(dbm__mongo_json *j, const dbm_value **value) {
    int more;
    if (j->args == NULL) return dbm__mongo_bad(j, "a ? stands for a value, and this is a value itself, or one of many documents: it can have none");
    *value = &j->args->values[j->args->next];
    if (j->args->next++ < j->args->count) {
        j->at++;
        return true;
    }
    (void)dbm__mongo_span(j->at, j->end, true, &more);
    j->status = dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "the JSON has %d placeholder%s more than the call passes values (%d)", more, more == 1 ? "" : "s", j->args->count);
    return false;
}

/* {"$regex": ?}, perhaps with $options: a pattern. */
static bool dbm__mongo_regex(dbm__mongo_json *j, bson_t *to, const char *key, int key_size, int depth) {
    const char *pattern = NULL, *options = NULL;
    uint32_t size = 0, n = 0;
    bson_t doc = BSON_INITIALIZER;
    bson_iter_t it;
    bool ok = dbm__mongo_members(j, &doc, depth);
    if (ok && bson_iter_init_find(&it, &doc, "$regex") && BSON_ITER_HOLDS_UTF8(&it)) pattern = bson_iter_utf8(&it, &size);
    if (ok && bson_iter_init_find(&it, &doc, "$options") && BSON_ITER_HOLDS_UTF8(&it)) options = bson_iter_utf8(&it, &n);
    if (ok && (pattern == NULL || memchr(pattern, 0, size) != NULL)) ok = dbm__mongo_bad(j, "the value is no pattern for $regex: a text without a NUL");
    else if (ok && bson_count_keys(&doc) == (options != NULL ? 2u : 1u)) ok = bson_append_regex_w_len(to, key, key_size, pattern, (int)size, options);
    else if (ok) ok = bson_append_document(to, key, key_size, &doc);
    bson_destroy(&doc);
    return ok;
}

/* An object or an array. False without a status: the document is too large. */
static bool dbm__mongo_nested(dbm__mongo_json *j, bson_t *to, const char *key, int key_size, int depth) { /* NOLINT(misc-no-recursion): to a depth of 100 */
    const char *word = j->at + 1, *end;
    bool object = *j->at == '{', ok;
    bson_t inner;
    if (depth > 100) return dbm__mongo_bad(j, "it is nested more than 100 deep");
    if (object && dbm__mongo_skip(&word, j->end) == '"' && ++word < j->end && *word == '$' && (end = (const char *)memchr(word, '"', (size_t)(j->end - word))) != NULL) {
        size_t size = (size_t)(end - word);
        bool regex = dbm__list_has("$regex,$options", word, size);
        if (regex || dbm__list_has("$oid,$date,$numberInt,$numberLong,$numberDouble,$numberDecimal,$binary,$uuid,$timestamp,$undefined,$minKey,$maxKey,$symbol,$code,$scope,"
                                   "$dbPointer", word, size)) {
            bson_iter_t it;
            bson_t *doc;
            int marks;
            end = dbm__mongo_span(j->at, j->end, false, &marks);
            if (marks != 0 && regex) return dbm__mongo_regex(j, to, key, key_size, depth + 1);
            if (marks != 0) return dbm__mongo_bad(j, "a ? stands inside of {\"$oid\": ...} and the like: it stands for whole values only; pass dbm_oid(hex), dbm_timestamp(us), dbm_decimal(text)");
            doc = dbm__mongo_foreign(j, end, &it);
            ok = j->status == DBM_OK && bson_append_iter(to, key, key_size, &it);
            if (doc != NULL) bson_destroy(doc);
            return ok;
        }
    }
    if (!object) {
        bson_init(&inner);
        ok = dbm__mongo_members(j, &inner, depth + 1) && bson_append_array(to, key, key_size, &inner);
        bson_destroy(&inner);
        return ok;
    }
    if (!bson_append_document_begin(to, key, key_size, &inner)) return false;
    ok = dbm__mongo_members(j, &inner, depth + 1);
    return bson_append_document_end(to, &inner) && ok;
}

static bool dbm__mongo_value(dbm__mongo_json *j, bson_t *to, const char *key, int key_size, int depth) { /* NOLINT(misc-no-recursion): as above */
    char c = dbm__mongo_next(j);
    const char *text = j->at;
    const dbm_value *v = NULL;
    bson_t *made = NULL;
    bson_iter_t it;
    size_t size = 0;
    bool ok;
    if (c == '"') {
        ok = dbm__mongo_string(j, &text, &size, &made) && size <= INT32_MAX && bson_append_utf8(to, key, key_size, text, (int)size);
    } else if (c == '?') {
        ok = dbm__mongo_mark(j, &v) && (j->status = dbm__mongo_append(j->m, to, key, key_size, v, j->args->next)) == DBM_OK;
    } else if (c == '{' || c == '[') {
        ok = dbm__mongo_nested(j, to, key, key_size, depth);
    } else {
        int64_t number = 0;
        size_t first = c == '-';
        while (text < j->end && (unsigned char)*text > ' ' && strchr(",:]}\"{[?", *text) == NULL) text++;
        size = (size_t)(text - j->at);
        if (size == 0) return dbm__mongo_bad(j, c == 0 ? "it ends too early" : "a value is expected");
        for (text = j->at + first; size < 19 && text < j->at + size && *text >= '0' && *text <= '9'; text++) number = number * 10 + (*text - '0');
        if (dbm__list_has("true,false", j->at, size)) {
            ok = bson_append_bool(to, key, key_size, c == 't');
        } else if (dbm__list_has("null", j->at, size)) {
            ok = bson_append_null(to, key, key_size);
        } else if (text != j->at + size || (j->at[first] == '0' && size > first + 1) || size == first) {
            made = dbm__mongo_foreign(j, j->at + size, &it);
            ok = j->status == DBM_OK && bson_append_iter(to, key, key_size, &it);
            size = 0;
        } else {
            if (first != 0) number = -number;
            ok = number >= INT32_MIN && number <= INT32_MAX ? bson_append_int32(to, key, key_size, (int32_t)number) : bson_append_int64(to, key, key_size, number);
        }
        j->at += size;
    }
    if (made != NULL) bson_destroy(made);
    return ok || (j->status == DBM_OK && dbm__mongo_bad(j, "the document is too large"));
}

/* What stands between brackets, from the opening one on. */
static bool dbm__mongo_members(dbm__mongo_json *j, bson_t *to, int depth) { /* NOLINT(misc-no-recursion): as above */
    bool array = *j->at++ == '[', ok = true;
    char close = array ? ']' : '}', c = dbm__mongo_next(j), number[16];
    const char *key;
    size_t size;
    uint32_t i;
    for (i = 0; c != close || i != 0; i++) {
        bson_t *made = NULL;
        if (array) {
            size = bson_uint32_to_string(i, &key, number, sizeof number);
        } else {
            c = dbm__mongo_next(j);
            if (c != '"') return dbm__mongo_bad(j, c == 0 ? "it ends too early" : c == '?' ? "a ? stands in the place of a field's name: it stands for whole values only" : "a field's name is expected, in double quotes");
            ok = dbm__mongo_string(j, &key, &size, &made);
            if (ok && memchr(key, 0, size) != NULL) ok = dbm__mongo_bad(j, "a field's name has a NUL");
            if (ok && dbm__mongo_next(j) != ':') ok = dbm__mongo_bad(j, "a colon is expected");
            j->at += ok;
        }
        ok = ok && dbm__mongo_value(j, to, key, (int)size, depth);
        if (made != NULL) bson_destroy(made);
        if (!ok) return false;
        c = dbm__mongo_next(j);
        if (c == close) break;
        if (c != ',') return dbm__mongo_bad(j, c == 0 ? "it ends too early" : array ? "a comma or ] is expected" : "a comma or } is expected");
        j->at++;
    }
    j->at++;
    return true;
}

/* An array of BSON is a document whose keys are numbers. */
static bool dbm__mongo_is_array(const bson_t *doc) {
    bson_iter_t it;
    return bson_iter_init(&it, doc) && bson_iter_next(&it) && strcmp(bson_iter_key(&it), "0") == 0 && BSON_ITER_HOLDS_DOCUMENT(&it);
}

/* JSON to BSON, its placeholders filled in from args (NULL: it must have none). `out` is an empty document. */
static dbm_status dbm__mongo_parse(dbm__mongo_lease *m, const char *json, size_t size, dbm__mongo_args *args, bson_t *out, bool *array) { /* NOLINT(misc-no-recursion): once */
    dbm__mongo_json j;
    const dbm_value *v;
    bson_t bytes;
    char c;
    j.m = m;
    j.begin = j.at = json;
    j.end = json + size;
    j.args = args;
    j.status = DBM_OK;
    c = dbm__mongo_next(&j);
    *array = c == '[';
    if (c == '{' || c == '[') {
        (void)dbm__mongo_members(&j, out, 1);
    } else if (c != '?' || args == NULL) {
        (void)dbm__mongo_bad(&j, "a document begins with {, an array with [");
    } else if (dbm__mongo_mark(&j, &v)) { /* a whole document */
        if (v->type == DBM_TYPE_JSON) {
            j.status = dbm__mongo_parse(m, v->as.text.data, v->as.text.size, NULL, out, array);
        } else if (v->type != DBM_TYPE_BLOB) {
            j.status = dbm__mongo_say(m, DBM_E_MISUSE, 0, "value %d stands for a whole document: pass dbm_bson(b), dbm_json(text), or the bytes of one as dbm_blob(p, n)", args->next);
        } else if (v->name != NULL ? !bson_concat(out, (const bson_t *)(const void *)v->as.text.data)
                                   : !bson_init_static(&bytes, (const uint8_t *)v->as.text.data, v->as.text.size) || !bson_concat(out, &bytes)) {
            j.status = dbm__mongo_range(m, args->next, "is not the bytes of a BSON document");
        } else {
            *array = dbm__mongo_is_array(out);
        }
    }
    if (j.status == DBM_OK && dbm__mongo_next(&j) != 0) (void)dbm__mongo_bad(&j, "something follows the end of the document");
    return j.status;
}

/* ---- documents in hand --------------------------------------------------------------------------------------------------------------- */

static void dbm__mongo_forget(dbm__mongo_result *r) {
    int i;
    for (i = 0; i < r->columns; i++) if (r->fields[i].json != NULL) bson_free(r->fields[i].json);
    if (r->json != NULL) bson_free(r->json);
    if (r->made != NULL) bson_destroy(r->made);
    r->json = NULL;
    r->made = NULL;
    r->columns = 0;
    r->doc = NULL;
}

/* These bytes are the row in hand, which `doc` is made of, where there is one: its fields are found. */
static dbm_status dbm__mongo_stand(dbm__mongo_lease *m, dbm_op *op, dbm__mongo_result *r, const bson_t *doc, const uint8_t *data, size_t size) {
    bson_iter_t it;
    dbm__mongo_forget(r);
    r->doc = doc;
    r->data = data;
    r->size = size;
    if (bson_iter_init_from_data(&it, data, size)) {
        while (bson_iter_next(&it)) {
            if (r->columns == r->fields_room) {
                int room = r->fields_room != 0 ? r->fields_room * 2 : 16;
                dbm__mongo_field *more = (dbm__mongo_field *)dbm_adapter_resize(m->owner, r->fields, (size_t)room * sizeof *more);
                if (more == NULL) return dbm_adapter_fail(m->c, DBM_E_NOMEM, NULL, 0, NULL);
                r->fields = more;
                r->fields_room = room;
            }
            r->fields[r->columns].key = bson_iter_key(&it);
            r->fields[r->columns].key_size = bson_iter_key_len(&it);
            r->fields[r->columns].offset = bson_iter_offset(&it);
            r->fields[r->columns].json = NULL;
            r->columns++;
        }
    }
    op->columns = r->columns;
    return DBM_OK;
}

static dbm__mongo_result *dbm__mongo_result_new(dbm__mongo_lease *m) {
    dbm__mongo_result *r = m->spare;
    if (r != NULL) {
        m->spare = r->next;
        return r;
    }
    r = (dbm__mongo_result *)dbm__adapter_zeroed(m->owner, sizeof *r);
    if (r == NULL) dbm_adapter_fail(m->c, DBM_E_NOMEM, NULL, 0, NULL);
    return r;
}

/* A collection, which costs the driver a twentieth of a find to make: the one used last is kept, while it takes what the client has from the URL. */
static mongoc_collection_t *dbm__mongo_collection(dbm__mongo_lease *m, const char *name) {
    mongoc_collection_t *kept = m->kept;
    m->kept = NULL;
    if (kept != NULL && strcmp(mongoc_collection_get_name(kept), name) == 0) return kept;
    if (kept != NULL) mongoc_collection_destroy(kept);
    return mongoc_client_get_collection(m->client, m->base->name, name);
}

static void dbm__mongo_collection_give(dbm__mongo_lease *m, mongoc_collection_t *collection) {
    if (m->kept != NULL) mongoc_collection_destroy(m->kept);
    m->kept = m->changed ? NULL : collection;
    if (m->changed && collection != NULL) mongoc_collection_destroy(collection);
}

static void dbm__mongo_result_end(dbm__mongo_lease *m, dbm__mongo_result *r) {
    dbm__mongo_forget(r);
    if (r->cursor != NULL) mongoc_cursor_destroy(r->cursor); /* tells the server, when there are more */
    if (r->collection != NULL) dbm__mongo_collection_give(m, r->collection);
    if (r->replied) bson_destroy(r->reply);
    r->cursor = NULL;
    r->collection = NULL;
    r->replied = false;
    r->next = m->spare;
    m->spare = r;
}

static void dbm__mongo_results_free(dbm__mongo_lease *m) {
    while (m->spare != NULL) {
        dbm__mongo_result *next = m->spare->next;
        dbm_adapter_free(m->owner, m->spare->fields);
        bson_free(m->spare->reply);
        dbm_adapter_free(m->owner, m->spare);
        m->spare = next;
    }
}

static dbm_status dbm__mongo_advance(dbm__mongo_lease *m, dbm_op *op, dbm__mongo_result *r) {
    const bson_t *doc = NULL, *reply = NULL;
    bson_error_t error;
    if (r->cursor == NULL) return DBM_DONE; /* the one document has been in hand */
    dbm__mongo_forget(r);
    if (mongoc_cursor_next(r->cursor, &doc)) return dbm__mongo_stand(m, op, r, doc, bson_get_data(doc), doc->len);
    if (mongoc_cursor_error_document(r->cursor, &error, &reply)) {
        return dbm__mongo_fail(m, op, &error, reply, "reading documents", r->collection != NULL ? mongoc_collection_get_name(r->collection) : NULL);
    }
    return DBM_DONE;
}

/* The JSON of one field: of a document { "v" : ... } what stands between. */
static char *dbm__mongo_field_json(const bson_iter_t *at) {
    bson_t wrap = BSON_INITIALIZER;
    char *json, *begin;
    size_t n = 0;
    bson_append_iter(&wrap, "v", 1, at);
    json = bson_as_relaxed_extended_json(&wrap, &n);
    bson_destroy(&wrap);
    begin = json != NULL ? (char *)memchr(json, ':', n) : NULL;
    if (begin == NULL) return json;
    for (n--; n > 0 && json[n - 1] == ' '; n--) {} /* the last bracket, and the blanks before it */
    while (*++begin == ' ') {}
    n -= (size_t)(begin - json);
    memmove(json, begin, n);
    json[n] = 0;
    return json;
}

static void dbm__mongo_put_hex(char *out, const uint8_t *bytes, size_t n, bool dashes) {
    static const char digits[] = "0123456789abcdef";
    size_t i;
    for (i = 0; i < n; i++) {
        if (dashes && (i == 4 || i == 6 || i == 8 || i == 10)) *out++ = '-';
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = 0;
}

static dbm_status dbm__mongo_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    dbm__mongo_lease *m = (dbm__mongo_lease *)dbm_adapter_data(c);
    dbm__mongo_result *r = (dbm__mongo_result *)op->result;
    dbm__mongo_field *f;
    bson_iter_t it;
    const bson_iter_t *at = &it;
    size_t size = 0;
    if (i < 0 && r->doc == NULL) r->doc = r->made = bson_new_from_data(r->data, r->size);
    if (i == DBM_COLUMN_NATIVE) {
        *out = dbm_blob(r->doc, 0);
        return DBM_OK;
    }
    if (i == DBM_COLUMN_DOCUMENT) {
        if (r->json == NULL) r->json = bson_as_relaxed_extended_json(r->doc, &size);
        if (r->json == NULL) return dbm__mongo_say(m, DBM_E_RANGE, 0, "the document can't be written as JSON: a text in it is not UTF-8");
        *out = dbm__value(DBM_TYPE_JSON, r->json, strlen(r->json));
        return DBM_OK;
    }
    f = &r->fields[i];
    if (!bson_iter_init_from_data_at_offset(&it, r->data, r->size, f->offset, f->key_size)) {
        return dbm__mongo_say(m, DBM_E_RANGE, 0, "field %q can't be read", f->key);
    }
    switch ((int)bson_iter_type(at)) {
    case BSON_TYPE_INT32: *out = dbm_int(bson_iter_int32(at)); return DBM_OK;
    case BSON_TYPE_INT64: *out = dbm_int(bson_iter_int64(at)); return DBM_OK;
    case BSON_TYPE_DOUBLE: *out = dbm_double(bson_iter_double(at)); return DBM_OK;
    case BSON_TYPE_BOOL: *out = dbm_bool(bson_iter_bool(at)); return DBM_OK;
    case BSON_TYPE_NULL: case BSON_TYPE_UNDEFINED: *out = dbm_null(); return DBM_OK;
    case BSON_TYPE_UTF8: {
        uint32_t n = 0;
        const char *text = bson_iter_utf8(at, &n);
        *out = dbm_textn(text, n);
        return DBM_OK;
    }
    case BSON_TYPE_BINARY: {
        bson_subtype_t subtype;
        uint32_t n = 0;
        const uint8_t *bytes = NULL;
        bson_iter_binary(at, &subtype, &n, &bytes);
        if (subtype == BSON_SUBTYPE_UUID && n == 16) {
            dbm__mongo_put_hex(f->small, bytes, 16, true);
            *out = dbm__value(DBM_TYPE_UUID, f->small, 36);
            return DBM_OK;
        }
        *out = dbm_blob(bytes != NULL ? bytes : (const uint8_t *)"", n);
        return DBM_OK;
    }
    case BSON_TYPE_DATE_TIME: {
        int64_t ms = bson_iter_date_time(at);
        if (ms > INT64_MAX / 1000 || ms < INT64_MIN / 1000) return dbm__mongo_say(m, DBM_E_RANGE, 0, "the date of field %q is %l ms from 1970, which is too far for microseconds", bson_iter_key(at), ms);
        *out = dbm_timestamp(ms * 1000);
        return DBM_OK;
    }
    case BSON_TYPE_OID: {
        const bson_oid_t *oid = bson_iter_oid(at);
        dbm__mongo_put_hex(f->small, oid->bytes, 12, false);
        *out = dbm_textn(f->small, 24);
        return DBM_OK;
    }
    case BSON_TYPE_DECIMAL128: {
        bson_decimal128_t d;
        bson_iter_decimal128(at, &d);
        bson_decimal128_to_string(&d, f->small); /* 43 bytes at the most */
        *out = dbm__value(DBM_TYPE_DECIMAL, f->small, strlen(f->small));
        return DBM_OK;
    }
    default: break;
    }
    if (f->json == NULL) f->json = dbm__mongo_field_json(at);
    if (f->json == NULL) return dbm__mongo_say(m, DBM_E_RANGE, 0, "field %q can't be written as JSON: a text in it is not UTF-8", bson_iter_key(at));
    *out = dbm__value(DBM_TYPE_JSON, f->json, strlen(f->json));
    return DBM_OK;
}

static const char *dbm__mongo_column_name(dbm_connection *c, dbm_op *op, int i) {
    dbm__mongo_result *r = (dbm__mongo_result *)op->result;
    (void)c;
    return r != NULL && i < r->columns ? r->fields[i].key : "";
}

static dbm_status dbm__mongo_fetch(dbm_connection *c, dbm_op *op) {
    dbm__mongo_lease *m = (dbm__mongo_lease *)dbm_adapter_data(c);
    dbm__mongo_bound(m->wire, op);
    return dbm__mongo_advance(m, op, (dbm__mongo_result *)op->result);
}

/* ---- commands ---------------------------------------------------------------------------------------------------------------------------- */

enum {
    DBM__MONGO_LIMITED = 1,     /* its options take maxTimeMS */
    DBM__MONGO_ARRAY_LAST = 2,  /* its last document may be an array */
    DBM__MONGO_BY_NAME = 4,     /* of its collection the name is all that is needed */
    DBM__MONGO_NAMELESS = 8,    /* it has none */
    DBM__MONGO_OUTSIDE = 16     /* its options are not the driver's */
};
struct dbm__mongo_job;
typedef struct dbm__mongo_kind {
    const char *name;
    dbm_status (*run)(struct dbm__mongo_job *j);
    int documents;
    unsigned flags;
    bool (*update)(mongoc_collection_t *, const bson_t *, const bson_t *, const bson_t *, bson_t *, bson_error_t *);
    bool (*drop)(mongoc_collection_t *, const bson_t *, const bson_t *, bson_t *, bson_error_t *);
} dbm__mongo_kind;

/* One command on its way: what was passed, as BSON. */
typedef struct dbm__mongo_job {
    const dbm__mongo_kind *kind;
    dbm__mongo_lease *m;
    dbm_op *op;
    const char *name, *coll;
    const dbm_value *texts;   /* of the documents */
    int documents;
    dbm__mongo_args args;
    bson_t *doc[2], docs[2];  /* that were passed: here, or the caller's own */
    bool array[2];
    bson_t given;             /* the options that the user gave, then with the session and the time limit */
    mongoc_collection_t *collection;
    bson_t reply;
    bool replied;
    bson_error_t error;
} dbm__mongo_job;

static dbm_status dbm__mongo_failed(dbm__mongo_job *j) {
    return dbm__mongo_fail(j->m, j->op, &j->error, j->replied ? &j->reply : NULL, j->name, j->coll);
}

/* With less time than the driver would take to find a server: looks until one is known, which for `writing` can be written to. */
static bool dbm__mongo_wait(dbm__mongo_lease *m, int64_t deadline_us, bool writing) {
    for (;;) {
        size_t n = 0, i;
        bool known = false;
        mongoc_server_description_t **all = mongoc_client_get_server_descriptions(m->client, &n);
        for (i = 0; i < n && !known; i++) {
            const char *type = mongoc_server_description_type(all[i]);
            known = writing ? dbm__list_has("Standalone,RSPrimary,Mongos,LoadBalancer", type, strlen(type)) : strcmp(type, "Unknown") != 0 && strcmp(type, "PossiblePrimary") != 0;
        }
        mongoc_server_descriptions_destroy_all(all, n);
        if (known) return true;
        if (dbm_adapter_clock(m->owner) >= deadline_us || (m->wire->hears && dbm__load(&m->c->cancelled) != 0)) return false;
        dbm__sleep_us(2000);
    }
}

/* Before an operation whose deadline comes before the driver would give up looking for a server. Nothing has been sent yet. */
static dbm_status dbm__mongo_reachable(dbm__mongo_lease *m, const dbm_op *op, bool writing) {
    if (op->deadline_us == INT64_MAX || op->deadline_us - dbm_adapter_clock(m->owner) > (int64_t)m->base->select_ms * 1000) return DBM_OK;
    if (dbm__mongo_wait(m, op->deadline_us, writing)) return DBM_OK;
    if (dbm__mongo_late(m, op->deadline_us)) return dbm__mongo_say(m, DBM_E_TIMEOUT, 0, "the deadline passed while no server of %s could be reached", dbm_adapter_url(m->owner)->hosts);
    return dbm__mongo_say(m, DBM_E_CANCELLED, 0, "cancelled while no server of %s could be reached", dbm_adapter_url(m->owner)->hosts);
}

/* The deadline as the server knows it. */
static void dbm__mongo_limit(dbm__mongo_job *j, bson_t *to) {
    int64_t ms;
    if (j->op->deadline_us == INT64_MAX || bson_has_field(to, "maxTimeMS")) return;
    ms = (j->op->deadline_us - dbm_adapter_clock(j->m->owner)) / 1000;
    bson_append_int64(to, "maxTimeMS", 9, ms < 1 ? 1 : ms > INT32_MAX ? INT32_MAX : ms);
}

static dbm_status dbm__mongo_in_session(dbm__mongo_job *j, bson_t *to) {
    dbm__mongo_lease *m = j->m;
    if (m->session == NULL || !mongoc_client_session_in_transaction(m->session)) return DBM_OK;
    if (!mongoc_client_session_append(m->session, to, &j->error)) return dbm__mongo_failed(j);
    return DBM_OK;
}

/* Reads the head and the documents that are not insert_many's. */
static dbm_status dbm__mongo_job_read(dbm__mongo_job *j) {
    enum { HEAD = 4 };
    const dbm_op *op = j->op;
    dbm_status status = DBM_OK;
    bool ignored = false;
    int i;
    if (op->value_count < HEAD || op->values[0].type != DBM_TYPE_TEXT || op->values[3].type != DBM_TYPE_INT || op->values[3].as.integer < 0 ||
        op->values[3].as.integer > op->value_count - HEAD) {
        return dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "a command is its name, a collection, options, the number of documents, the documents, and their values");
    }
    j->coll = op->values[1].type == DBM_TYPE_TEXT ? op->values[1].as.text.data : NULL;
    j->documents = (int)op->values[3].as.integer;
    j->texts = op->values + HEAD;
    j->args.values = j->texts + j->documents;
    j->args.count = op->value_count - HEAD - j->documents;
    for (i = 0; i < 2 && i < j->documents && j->kind->documents != 0 && status == DBM_OK; i++) {
        const dbm_value *v = j->args.next < j->args.count ? &j->args.values[j->args.next] : NULL, *text = &j->texts[i];
        if (v != NULL && v->type == DBM_TYPE_BLOB && v->name != NULL && text->as.text.size == 1 && text->as.text.data[0] == '?' && !(j->kind->flags & DBM__MONGO_NAMELESS)) {
            j->doc[i] = (bson_t *)(uintptr_t)v->as.text.data; /* a command is added to, so it is copied */
            j->array[i] = dbm__mongo_is_array(j->doc[i]);
            j->args.next++;
            continue;
        }
        j->doc[i] = &j->docs[i];
        status = dbm__mongo_parse(j->m, text->as.text.data, text->as.text.size, &j->args, j->doc[i], &j->array[i]);
    }
    if (status == DBM_OK && op->values[2].type != DBM_TYPE_NULL) {
        status = dbm__mongo_parse(j->m, op->values[2].as.text.data, op->values[2].as.text.size, &j->args, &j->given, &ignored);
    }
    if (status == DBM_OK && j->args.next != j->args.count) {
        status = dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "the JSON has %d placeholder%s and the call passes %d value%s", j->args.next, j->args.next == 1 ? "" : "s", j->args.count,
                                j->args.count == 1 ? "" : "s");
    }
    for (i = 0; i < j->kind->documents && status == DBM_OK; i++) {
        if (j->doc[i] == NULL) status = dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "%s: a document is missing", j->name);
        else if (j->array[i] && !(i == j->kind->documents - 1 && j->kind->flags & DBM__MONGO_ARRAY_LAST)) status = dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "%s: a document is expected, not an array", j->name);
    }
    if (status != DBM_OK || j->kind->flags & DBM__MONGO_NAMELESS) return status;
    if (j->coll == NULL) return dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "%s: the collection has no name", j->name);
    if (!(j->kind->flags & DBM__MONGO_BY_NAME)) j->collection = dbm__mongo_collection(j->m, j->coll);
    return status;
}

static int64_t dbm__mongo_number(const bson_t *reply, const char *field) {
    bson_iter_t it;
    return bson_iter_init_find(&it, reply, field) && BSON_ITER_HOLDS_NUMBER(&it) ? bson_iter_as_int64(&it) : 0;
}

/* The answer stands on its first document, or (DBM_DONE) has none. */
static dbm_status dbm__mongo_shown(dbm__mongo_job *j, dbm__mongo_result *r, dbm_status status) {
    if (status == DBM_OK) {
        j->op->result = r;
        j->op->row = true;
        return DBM_OK;
    }
    dbm__mongo_result_end(j->m, r);
    return status == DBM_DONE ? DBM_OK : status;
}

/* The answer is this document, or the one that `path` leads to in it (DBM_DONE where it leads nowhere). Takes it over. */
static dbm_status dbm__mongo_answer(dbm__mongo_job *j, bson_t *doc, const char *path) {
    dbm__mongo_result *r = dbm__mongo_result_new(j->m);
    const uint8_t *data;
    uint32_t size;
    bson_iter_t it, at;
    if (r == NULL) {
        bson_destroy(doc);
        return DBM_E_NOMEM;
    }
    if (r->reply == NULL) r->reply = bson_new();
    bson_steal(r->reply, doc); /* a small one moves */
    r->replied = true;
    data = bson_get_data(r->reply);
    size = r->reply->len;
    if (path != NULL) {
        if (!bson_iter_init(&it, r->reply) || !bson_iter_find_descendant(&it, path, &at) || !BSON_ITER_HOLDS_DOCUMENT(&at)) return dbm__mongo_shown(j, r, DBM_DONE);
        bson_iter_document(&at, &size, &data);
    }
    return dbm__mongo_shown(j, r, dbm__mongo_stand(j->m, j->op, r, NULL, data, size));
}

/* The answer is a cursor, taken over; the first document is asked for at once, so that a refusal comes here. */
static dbm_status dbm__mongo_cursor(dbm__mongo_job *j, mongoc_cursor_t *cursor) {
    dbm__mongo_result *r = dbm__mongo_result_new(j->m);
    if (r == NULL) {
        mongoc_cursor_destroy(cursor);
        return DBM_E_NOMEM;
    }
    r->cursor = cursor;
    r->collection = j->collection; /* the cursor may look at it */
    j->collection = NULL;
    return dbm__mongo_shown(j, r, dbm__mongo_advance(j->m, j->op, r));
}

/* A document with an _id: itself where it has one, else a copy in *made with a new ObjectId before the rest. */
static const bson_t *dbm__mongo_with_id(const bson_t *doc, bson_t **made) {
    bson_oid_t oid;
    *made = NULL;
    if (bson_has_field(doc, "_id")) return doc;
    bson_oid_init(&oid, NULL);
    *made = bson_sized_new(doc->len + 20);
    bson_append_oid(*made, "_id", 3, &oid);
    bson_concat(*made, doc);
    return *made;
}

static dbm_status dbm__mongo_insert(dbm__mongo_job *j) {
    bson_t *made, row = BSON_INITIALIZER;
    const bson_t *doc;
    bson_iter_t it;
    doc = dbm__mongo_with_id(j->doc[0], &made);
    j->replied = true;
    if (!mongoc_collection_insert_one(j->collection, doc, &j->given, &j->reply, &j->error)) {
        if (made != NULL) bson_destroy(made);
        return dbm__mongo_failed(j);
    }
    j->op->affected = dbm__mongo_number(&j->reply, "insertedCount");
    if (bson_iter_init_find(&it, doc, "_id")) bson_append_iter(&row, NULL, 0, &it);
    if (made != NULL) bson_destroy(made);
    return dbm__mongo_answer(j, &row, NULL);
}

/* Which document of insert_many failed, and how many went before. */
static dbm_status dbm__mongo_many_failed(dbm__mongo_job *j) {
    bson_iter_t it, at;
    char text[sizeof j->error.message];
    dbm__copy_cut(text, sizeof text, j->error.message);
    if (bson_iter_init(&it, &j->reply) && bson_iter_find_descendant(&it, "writeErrors.0.index", &at) && BSON_ITER_HOLDS_NUMBER(&at)) {
        dbm__format(j->error.message, sizeof j->error.message, "document %l of %d (counted from 0), after %l inserted: %s", bson_iter_as_int64(&at), j->documents,
                    dbm__mongo_number(&j->reply, "insertedCount"), text);
    }
    return dbm__mongo_failed(j);
}

static dbm_status dbm__mongo_insert_many(dbm__mongo_job *j) {
    const bson_t **docs;
    bson_t **owned;
    dbm_status status = DBM_OK;
    size_t n = (size_t)j->documents, i, made = 0;
    if (n == 0) {
        j->op->affected = 0;
        return DBM_OK;
    }
    docs = (const bson_t **)dbm_adapter_alloc(j->m->owner, n * 2 * sizeof *docs);
    if (docs == NULL) return dbm_adapter_fail(j->m->c, DBM_E_NOMEM, NULL, 0, NULL);
    owned = (bson_t **)(void *)(docs + n);
    for (i = 0; i < n && status == DBM_OK; i++) {
        const dbm_value *v = &j->texts[i];
        bool array = false;
        owned[i] = NULL;
        made = i + 1;
        if (v->type == DBM_TYPE_BLOB && v->name != NULL) {
            docs[i] = (const bson_t *)(const void *)v->as.text.data;
        } else {
            j->m->document = (int64_t)i;
            owned[i] = bson_new();
            status = dbm__mongo_parse(j->m, v->as.text.data, v->as.text.size, NULL, owned[i], &array);
            if (status == DBM_OK && array) status = dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "it is an array");
            j->m->document = -1;
            docs[i] = owned[i];
        }
    }
    if (status == DBM_OK) {
        j->replied = true;
        if (mongoc_collection_insert_many(j->collection, docs, n, &j->given, &j->reply, &j->error)) j->op->affected = dbm__mongo_number(&j->reply, "insertedCount");
        else status = dbm__mongo_many_failed(j);
    }
    for (i = 0; i < made; i++) if (owned[i] != NULL) bson_destroy(owned[i]);
    dbm_adapter_free(j->m->owner, (void *)docs);
    return status;
}

static dbm_status dbm__mongo_find(dbm__mongo_job *j) {
    return dbm__mongo_cursor(j, mongoc_collection_find_with_opts(j->collection, j->doc[0], &j->given, NULL));
}

/* One document needs no cursor, which costs the driver as much as the rest: the command itself, and the document is read where it lies in the reply. */
static dbm_status dbm__mongo_find_one(dbm__mongo_job *j) {
    bson_t command = BSON_INITIALIZER, rest;
    bool ok, clean = bson_empty(&j->given);
    bson_append_utf8(&command, "find", 4, j->coll, -1);
    bson_append_document(&command, "filter", 6, j->doc[0]);
    bson_append_int32(&command, "limit", 5, 1);
    bson_append_bool(&command, "singleBatch", 11, true);
    if (!clean) {
        bson_init(&rest);
        bson_copy_to_excluding_noinit(&j->given, &rest, "limit", "singleBatch", "batchSize", NULL);
    }
    j->replied = true;
    ok = mongoc_client_read_command_with_opts(j->m->client, j->m->base->name, &command, mongoc_client_get_read_prefs(j->m->client), clean ? NULL : &rest, &j->reply, &j->error);
    if (!clean) bson_destroy(&rest);
    bson_destroy(&command);
    if (!ok) return dbm__mongo_failed(j);
    j->replied = false;
    return dbm__mongo_answer(j, &j->reply, "cursor.firstBatch.0");
}

static bool dbm__mongo_pipeline_writes(const bson_t *pipeline) {
    bson_iter_t it, stage;
    if (!bson_iter_init(&it, pipeline)) return false;
    while (bson_iter_next(&it)) {
        if (bson_iter_recurse(&it, &stage) && bson_iter_next(&stage) && (strcmp(bson_iter_key(&stage), "$out") == 0 || strcmp(bson_iter_key(&stage), "$merge") == 0)) return true;
    }
    return false;
}

static dbm_status dbm__mongo_aggregate(dbm__mongo_job *j) {
    if (!j->array[0] && bson_count_keys(j->doc[0]) != 0) return dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "aggregate: a pipeline is an array: [{\"$match\": {}}]");
    if (!j->op->write && dbm__mongo_pipeline_writes(j->doc[0])) {
        return dbm__mongo_say(j->m, DBM_E_MISUSE, 0, "aggregate: a pipeline that writes ($out, $merge) is written out in the text of the call, so that it is known to write");
    }
    return dbm__mongo_cursor(j, mongoc_collection_aggregate(j->collection, MONGOC_QUERY_NONE, j->doc[0], &j->given, NULL));
}

static dbm_status dbm__mongo_update(dbm__mongo_job *j) {
    j->replied = true;
    if (!j->kind->update(j->collection, j->doc[0], j->doc[1], &j->given, &j->reply, &j->error)) return dbm__mongo_failed(j);
    j->op->affected = dbm__mongo_number(&j->reply, "matchedCount") + dbm__mongo_number(&j->reply, "upsertedCount");
    return DBM_OK;
}

static dbm_status dbm__mongo_delete(dbm__mongo_job *j) {
    j->replied = true;
    if (!j->kind->drop(j->collection, j->doc[0], &j->given, &j->reply, &j->error)) return dbm__mongo_failed(j);
    j->op->affected = dbm__mongo_number(&j->reply, "deletedCount");
    return DBM_OK;
}

static dbm_status dbm__mongo_count_documents(dbm__mongo_job *j) {
    int64_t n;
    bson_t row = BSON_INITIALIZER;
    j->replied = true;
    n = mongoc_collection_count_documents(j->collection, j->doc[0], &j->given, NULL, &j->reply, &j->error);
    if (n < 0) return dbm__mongo_failed(j);
    bson_append_int64(&row, "n", 1, n);
    return dbm__mongo_answer(j, &row, NULL);
}

/* {createIndexes: coll, indexes: [{key, name, options...}]}, as mongosh does it. */
static dbm_status dbm__mongo_create_index(dbm__mongo_job *j) {
    bson_t command = BSON_INITIALIZER, outer = BSON_INITIALIZER, list = BSON_INITIALIZER, one = BSON_INITIALIZER;
    dbm_status status = dbm__mongo_in_session(j, &outer);
    if (status == DBM_OK) {
        bson_append_utf8(&command, "createIndexes", 13, j->coll, -1);
        bson_append_document(&one, "key", 3, j->doc[0]);
        if (!bson_has_field(&j->given, "name")) {
            char *name = mongoc_collection_keys_to_index_string(j->doc[0]);
            bson_append_utf8(&one, "name", 4, name != NULL ? name : "", -1);
            bson_free(name);
        }
        bson_concat(&one, &j->given);
        bson_append_document(&list, "0", 1, &one);
        bson_append_array(&command, "indexes", 7, &list);
        dbm__mongo_limit(j, &command);
        j->replied = true;
        if (!mongoc_client_write_command_with_opts(j->m->client, j->m->base->name, &command, &outer, &j->reply, &j->error)) status = dbm__mongo_failed(j);
    }
    bson_destroy(&command);
    bson_destroy(&outer);
    bson_destroy(&list);
    bson_destroy(&one);
    return status;
}

static dbm_status dbm__mongo_drop(dbm__mongo_job *j) {
    bson_t command = BSON_INITIALIZER;
    dbm_status status = DBM_OK;
    bson_append_utf8(&command, "drop", 4, j->coll, -1);
    j->replied = true;
    if (!mongoc_client_write_command_with_opts(j->m->client, j->m->base->name, &command, &j->given, &j->reply, &j->error) &&
        !(j->error.domain == MONGOC_ERROR_SERVER && j->error.code == 26)) { /* NamespaceNotFound: it is not there, as wanted */
        status = dbm__mongo_failed(j);
    }
    bson_destroy(&command);
    return status;
}

/* Any command. Where it runs is chosen first, for the cursor that it may answer lives there. */
static dbm_status dbm__mongo_any(dbm__mongo_job *j) {
    const mongoc_read_prefs_t *prefs = j->op->write ? NULL : mongoc_client_get_read_prefs(j->m->client); /* what writes goes to the primary */
    mongoc_server_description_t *server;
    bson_t *command = j->doc[0];
    bson_iter_t it, inner;
    dbm__mongo_limit(j, command);
    server = mongoc_client_select_server(j->m->client, j->op->write, prefs, &j->error);
    if (server == NULL) return dbm__mongo_failed(j);
    bson_append_int32(&j->given, "serverId", 8, (int32_t)mongoc_server_description_id(server));
    mongoc_server_description_destroy(server);
    j->replied = true;
    if (!mongoc_client_command_with_opts(j->m->client, j->m->base->name, command, prefs, &j->given, &j->reply, &j->error)) return dbm__mongo_failed(j);
    if (bson_iter_init_find(&it, &j->reply, "n") && BSON_ITER_HOLDS_NUMBER(&it)) j->op->affected = bson_iter_as_int64(&it);
    if (bson_iter_init(&it, &j->reply) && bson_iter_find_descendant(&it, "cursor.firstBatch", &inner)) {
        return dbm__mongo_cursor(j, mongoc_cursor_new_from_command_reply_with_opts(j->m->client, bson_copy(&j->reply), &j->given)); /* takes the copy */
    }
    j->replied = false;
    return dbm__mongo_answer(j, &j->reply, NULL);
}

/* What is done by the names of commands. */
static const dbm__mongo_kind dbm__mongo_kinds[] = {
    { "find_one", dbm__mongo_find_one, 1, DBM__MONGO_LIMITED | DBM__MONGO_BY_NAME, NULL, NULL }, /* first, for it is short */
    { "find", dbm__mongo_find, 1, DBM__MONGO_LIMITED, NULL, NULL },
    { "insert", dbm__mongo_insert, 1, DBM__MONGO_LIMITED, NULL, NULL },
    { "insert_many", dbm__mongo_insert_many, 0, DBM__MONGO_LIMITED, NULL, NULL },
    { "update", dbm__mongo_update, 2, DBM__MONGO_ARRAY_LAST, mongoc_collection_update_one, NULL }, /* the driver has no place for a time limit in these */
    { "update_many", dbm__mongo_update, 2, DBM__MONGO_ARRAY_LAST, mongoc_collection_update_many, NULL },
    { "replace", dbm__mongo_update, 2, 0, mongoc_collection_replace_one, NULL },
    { "delete", dbm__mongo_delete, 1, DBM__MONGO_LIMITED, NULL, mongoc_collection_delete_one },
    { "delete_many", dbm__mongo_delete, 1, DBM__MONGO_LIMITED, NULL, mongoc_collection_delete_many },
    { "count", dbm__mongo_count_documents, 1, DBM__MONGO_LIMITED, NULL, NULL },
    { "aggregate", dbm__mongo_aggregate, 1, DBM__MONGO_LIMITED | DBM__MONGO_ARRAY_LAST, NULL, NULL },
    { "create_index", dbm__mongo_create_index, 1, DBM__MONGO_BY_NAME | DBM__MONGO_OUTSIDE, NULL, NULL },
    { "drop", dbm__mongo_drop, 0, DBM__MONGO_BY_NAME, NULL, NULL },
    { "command", dbm__mongo_any, 1, DBM__MONGO_NAMELESS, NULL, NULL }
};

static dbm_status dbm__mongo_job_run(dbm__mongo_job *j) {
    dbm_status status = j->kind->flags & DBM__MONGO_OUTSIDE ? DBM_OK : dbm__mongo_in_session(j, &j->given);
    if (status != DBM_OK) return status;
    if (j->kind->flags & DBM__MONGO_LIMITED) dbm__mongo_limit(j, &j->given);
    return j->kind->run(j);
}

static dbm_status dbm__mongo_command(dbm__mongo_lease *m, dbm_op *op) {
    dbm__mongo_job j;
    dbm_status status;
    size_t i;
    op->result = NULL;
    op->row = false;
    op->columns = 0;
    if (op->value_count < 1 || op->values[0].type != DBM_TYPE_TEXT) return dbm__mongo_say(m, DBM_E_MISUSE, 0, "a command begins with its name");
    j.name = op->values[0].as.text.data;
    for (i = 0; i < sizeof dbm__mongo_kinds / sizeof dbm__mongo_kinds[0] && strcmp(j.name, dbm__mongo_kinds[i].name) != 0; i++) {}
    if (i == sizeof dbm__mongo_kinds / sizeof dbm__mongo_kinds[0]) return dbm__mongo_say(m, DBM_E_UNSUPPORTED, 0, "there is no command %q", j.name);
    j.kind = &dbm__mongo_kinds[i];
    j.m = m;
    j.op = op;
    j.args.next = 0;
    j.collection = NULL;
    j.replied = false;
    j.error.message[0] = 0;
    bson_init(&j.given);
    for (i = 0; i < 2; i++) {
        j.doc[i] = NULL;
        j.array[i] = false;
        bson_init(&j.docs[i]);
    }
    dbm__mongo_bound(m->wire, op);
    status = dbm__mongo_job_read(&j);
    if (status == DBM_OK) status = dbm__mongo_reachable(m, op, op->write);
    if (status == DBM_OK) status = dbm__mongo_job_run(&j);
    if (status == DBM_OK && m->wire->over != DBM_OK) { /* a write that asks for no answer */
        memset(&j.error, 0, sizeof j.error);
        status = dbm__mongo_failed(&j);
    }
    for (i = 0; i < 2; i++) bson_destroy(&j.docs[i]);
    bson_destroy(&j.given);
    dbm__mongo_collection_give(m, j.collection);
    if (j.replied) bson_destroy(&j.reply);
    return status;
}

/* ---- rows in bulk ---------------------------------------------------------------------------------------------------------------------------------
 * Rows are documents of the columns' names, gathered by the driver and inserted a batch at a time, in order; .each_row: in any, so that one that is
 * refused stops no other. */

enum { DBM__MONGO_BATCH = 10000, DBM__MONGO_BATCH_BYTES = 2 << 20 };

typedef struct dbm__mongo_bulk {
    mongoc_collection_t *collection;
    mongoc_bulk_operation_t *batch;
    bson_t *options, *row;
    bool with_id;            /* "_id" is one of the columns */
    int count;               /* of the batch, and its bytes */
    size_t bytes;
    int64_t affected;
    int64_t first;           /* the number of the batch's first row, or (numbers != NULL) */
    int64_t *numbers;        /* that of each: some were refused before they got there */
} dbm__mongo_bulk;

static void dbm__mongo_bulk_free(dbm__mongo_lease *m) {
    dbm__mongo_bulk *b = m->bulk;
    if (b == NULL) return;
    m->bulk = NULL;
    if (b->batch != NULL) mongoc_bulk_operation_destroy(b->batch);
    mongoc_collection_destroy(b->collection);
    bson_destroy(b->options);
    bson_destroy(b->row);
    dbm_adapter_free(m->owner, b->numbers);
    dbm_adapter_free(m->owner, b);
}

static dbm_status dbm__mongo_bulk_begin(dbm__mongo_lease *m, dbm_op *op) {
    const dbm_bulk_plan *plan = op->bulk;
    dbm__mongo_bulk *b;
    bson_error_t error;
    bool inside = m->session != NULL && mongoc_client_session_in_transaction(m->session);
    int i;
    if (inside && plan->each_row) return DBM_E_UNSUPPORTED; /* a row that is refused ends a transaction */
    b = (dbm__mongo_bulk *)dbm__adapter_zeroed(m->owner, sizeof *b);
    if (b == NULL) return dbm_adapter_fail(m->c, DBM_E_NOMEM, NULL, 0, NULL);
    m->bulk = b;
    op->bulk->data = b;
    b->collection = mongoc_client_get_collection(m->client, m->base->name, plan->table);
    b->options = bson_new();
    b->row = bson_new();
    bson_append_bool(b->options, "ordered", 7, !plan->each_row);
    for (i = 0; i < plan->column_count; i++) if (strcmp(plan->columns[i], "_id") == 0) b->with_id = true;
    if (plan->each_row && (b->numbers = (int64_t *)dbm_adapter_alloc(m->owner, DBM__MONGO_BATCH * sizeof *b->numbers)) == NULL) {
        dbm__mongo_bulk_free(m);
        return dbm_adapter_fail(m->c, DBM_E_NOMEM, NULL, 0, NULL);
    }
    if (!inside || mongoc_client_session_append(m->session, b->options, &error)) return DBM_OK;
    dbm__mongo_bulk_free(m);
    return dbm__mongo_fail(m, op, &error, NULL, "bulk", plan->table);
}

static dbm_status dbm__mongo_bulk_row(dbm_connection *c, dbm_op *op, const dbm_value *values) {
    dbm__mongo_lease *m = (dbm__mongo_lease *)dbm_adapter_data(c);
    dbm__mongo_bulk *b = m->bulk;
    dbm_bulk_plan *plan = op->bulk;
    bson_error_t error;
    bson_oid_t oid;
    int i;
    bson_reinit(b->row);
    if (!b->with_id) {
        bson_oid_init(&oid, NULL);
        bson_append_oid(b->row, "_id", 3, &oid);
    }
    for (i = 0; i < plan->column_count; i++) {
        dbm_status status = dbm__mongo_append(m, b->row, plan->columns[i], -1, &values[i], i + 1);
        if (status == DBM_OK) continue;
        plan->failed_column = i;
        return status;
    }
    if (b->batch == NULL) {
        b->batch = mongoc_collection_create_bulk_operation_with_opts(b->collection, b->options);
        b->first = plan->rows;
    }
    if (!mongoc_bulk_operation_insert_with_opts(b->batch, b->row, NULL, &error)) return dbm__mongo_fail(m, op, &error, NULL, "bulk", plan->table);
    if (b->numbers != NULL) b->numbers[b->count] = plan->rows;
    b->bytes += b->row->len;
    return ++b->count >= DBM__MONGO_BATCH || b->bytes >= DBM__MONGO_BATCH_BYTES ? DBM_DONE : DBM_OK;
}

/* The documents of a batch that the server refused, each with its place in it. */
static dbm_status dbm__mongo_bulk_refused(dbm__mongo_lease *m, dbm_op *op, const bson_error_t *error, const bson_t *reply) {
    dbm__mongo_bulk *b = m->bulk;
    dbm_status status = DBM_OK;
    bson_iter_t it, list, one;
    bool any = false;
    if (m->wire->over == DBM_OK && bson_iter_init_find(&it, reply, "writeErrors") && bson_iter_recurse(&it, &list)) {
        while (status == DBM_OK && bson_iter_next(&list) && bson_iter_recurse(&list, &one)) {
            bson_error_t why = *error;
            int64_t at = -1;
            while (bson_iter_next(&one)) {
                const char *key = bson_iter_key(&one);
                if (strcmp(key, "index") == 0) at = bson_iter_as_int64(&one);
                else if (strcmp(key, "code") == 0) why.code = (uint32_t)bson_iter_as_int64(&one);
                else if (strcmp(key, "errmsg") == 0 && BSON_ITER_HOLDS_UTF8(&one)) dbm__copy_cut(why.message, sizeof why.message, bson_iter_utf8(&one, NULL));
            }
            if (at < 0 || at >= b->count) break;
            any = true;
            why.domain = MONGOC_ERROR_SERVER;
            status = dbm__mongo_fail(m, op, &why, reply, "bulk", op->bulk->table);
            if (b->numbers == NULL) {
                op->bulk->failed_row = b->first + at;
                return status;
            }
            dbm_adapter_bulk_refused(m->c, op, b->numbers[at]);
            status = DBM_OK;
        }
    }
    return any && error->domain != MONGOC_ERROR_WRITE_CONCERN ? status : dbm__mongo_fail(m, op, error, reply, "bulk", op->bulk->table);
}

static dbm_status dbm__mongo_bulk_send(dbm__mongo_lease *m, dbm_op *op) {
    dbm__mongo_bulk *b = m->bulk;
    bson_error_t error;
    bson_t reply;
    dbm_status status = DBM_OK;
    bool ok;
    if (b->batch == NULL) return DBM_OK;
    dbm__mongo_bound(m->wire, op);
    status = dbm__mongo_reachable(m, op, true);
    if (status != DBM_OK) return status;
    memset(&error, 0, sizeof error);
    ok = mongoc_bulk_operation_execute(b->batch, &reply, &error) != 0;
    b->affected += dbm__mongo_number(&reply, "nInserted");
    if (!ok || m->wire->over != DBM_OK) status = dbm__mongo_bulk_refused(m, op, &error, &reply);
    bson_destroy(&reply);
    mongoc_bulk_operation_destroy(b->batch);
    b->batch = NULL;
    b->count = 0;
    b->bytes = 0;
    return status;
}

static dbm_status dbm__mongo_bulk_end(dbm__mongo_lease *m, dbm_op *op) {
    dbm_status status = op->bulk->abandon ? DBM_OK : dbm__mongo_bulk_send(m, op);
    op->affected = m->bulk->affected;
    dbm__mongo_bulk_free(m);
    return status;
}

/* ---- transactions -------------------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__mongo_begin_transaction(dbm__mongo_lease *m, dbm_op *op) {
    bson_error_t error;
    mongoc_server_description_t *server;
    mongoc_transaction_opt_t *options = NULL;
    bool alone, ok;
    if (op->isolation != DBM_ISOLATION_DEFAULT) {
        return dbm__mongo_say(m, DBM_E_UNSUPPORTED, 0, "MongoDB's transactions have no isolation levels: readConcernLevel and w in the URL say what they see and when they are kept");
    }
    dbm__mongo_bound(m->wire, op);
    if (dbm__mongo_reachable(m, op, true) != DBM_OK) return DBM_E_TIMEOUT; /* it hears no cancel */
    server = mongoc_client_select_server(m->client, true, NULL, &error);
    if (server == NULL) return dbm__mongo_fail(m, op, &error, NULL, "beginning a transaction", NULL);
    alone = strcmp(mongoc_server_description_type(server), "Standalone") == 0;
    mongoc_server_description_destroy(server);
    if (alone) return dbm__mongo_say(m, DBM_E_UNSUPPORTED, 20, "a transaction needs a replica set, and this server stands alone: start it with --replSet and run rs.initiate(), or leave .transaction out");
    if (m->session == NULL) m->session = mongoc_client_start_session(m->client, NULL, &error);
    if (m->session == NULL) return dbm__mongo_fail(m, op, &error, NULL, "beginning a transaction", NULL);
    if (op->deadline_us != INT64_MAX) {
        int64_t ms = (op->deadline_us - dbm_adapter_clock(m->owner)) / 1000;
        options = mongoc_transaction_opts_new();
        mongoc_transaction_opts_set_max_commit_time_ms(options, ms < 1 ? 1 : ms);
    }
    ok = mongoc_client_session_start_transaction(m->session, options, &error);
    if (options != NULL) mongoc_transaction_opts_destroy(options);
    return ok ? DBM_OK : dbm__mongo_fail(m, op, &error, NULL, "beginning a transaction", NULL);
}

static dbm_status dbm__mongo_commit(dbm__mongo_lease *m, dbm_op *op) {
    bson_error_t error;
    bson_t reply;
    bool unknown;
    dbm_status status;
    if (m->session == NULL || !mongoc_client_session_in_transaction(m->session)) return DBM_OK;
    dbm__mongo_bound(m->wire, op);
    if (mongoc_client_session_commit_transaction(m->session, &reply, &error)) {
        bson_destroy(&reply);
        return DBM_OK;
    }
    unknown = mongoc_error_has_label(&reply, "UnknownTransactionCommitResult");
    status = dbm__mongo_fail(m, op, &error, &reply, "commit", NULL);
    if (unknown) { /* done or not; the session makes it E_IN_DOUBT */
        char text[600];
        dbm__copy_cut(text, sizeof text, error.message);
        status = dbm__mongo_say(m, status == DBM_E_TIMEOUT ? DBM_E_TIMEOUT : DBM_E_LOST, (int)error.code, "commit: %s", text);
        dbm_adapter_broken(m->c);
    }
    bson_destroy(&reply);
    return status;
}

static dbm_status dbm__mongo_rollback(dbm__mongo_lease *m, dbm_op *op) {
    bson_error_t error;
    if (m->session == NULL || !mongoc_client_session_in_transaction(m->session)) return DBM_OK;
    dbm__mongo_bound(m->wire, op);
    /* Where the server does not hear it, it ends the transaction by itself, after a minute. */
    return mongoc_client_session_abort_transaction(m->session, &error) ? DBM_OK : dbm__mongo_fail(m, op, &error, NULL, "rollback", NULL);
}

/* ---- connections ------------------------------------------------------------------------------------------------------------------------------ */

static void dbm__mongo_pool_free(dbm__mongo_base *base, dbm__mongo_pool *p) {
    if (p->epoch == dbm__fork_epoch()) { /* else its threads, and perhaps its locks, are the parent's: it is left as it is */
        if (p->pool != NULL) mongoc_client_pool_destroy(p->pool);
        if (p->uri != NULL) mongoc_uri_destroy(p->uri);
    }
    while (p->wires != NULL) {
        dbm__mongo_wire *next = p->wires->next;
        dbm_adapter_free(base->db, p->wires);
        p->wires = next;
    }
    if (p->password != NULL) dbm__wipe(p->password, strlen(p->password));
    dbm_adapter_free(base->db, p->user);
    dbm_adapter_free(base->db, p->password);
    dbm_adapter_free(base->db, p);
}

static void dbm__mongo_put_encoded(dbm__text *t, const char *text) {
    char code[3];
    for (; *text != '\0'; text++) dbm__put_n(t, code, dbm__percent(*text, "-._~", code));
}

/* What the URL or connect_args say about an option of the driver, by its name without case; NULL: nothing. */
static const char *dbm__mongo_said(dbm_database *db, const char *name) {
    const char *said = NULL;
    dbm_option one;
    size_t i = 0;
    while (dbm__adapter_argument(db, &i, &one) != NULL) if (dbm__same_word(one.name, name)) said = one.value;
    return said;
}

static void dbm__mongo_put_option(dbm__text *t, char *between, const char *name, const char *value) {
    dbm__putf(t, "%c%s=", *between, name);
    dbm__mongo_put_encoded(t, value);
    *between = '&';
}

static void dbm__mongo_put_tls(const dbm__mongo_base *base, dbm__text *t, char *between) {
    const dbm_config *config = dbm_adapter_config(base->db);
    if (config->tls == DBM_TLS_DEFAULT) return; /* as the URL says; the driver's default is off, on for mongodb+srv */
    dbm__mongo_put_option(t, between, "tls", config->tls == DBM_TLS_OFF ? "false" : "true");
    if (config->tls == DBM_TLS_REQUIRE) dbm__mongo_put_option(t, between, "tlsAllowInvalidCertificates", "true");
    if (config->tls == DBM_TLS_VERIFY_CA) dbm__mongo_put_option(t, between, "tlsAllowInvalidHostnames", "true");
}

/* The URL as the driver is given it. It holds the password: to be wiped. */
static char *dbm__mongo_url(const dbm__mongo_base *base, const char *user, const char *password, size_t *capacity) {
    dbm_database *db = base->db;
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    size_t need = 512, i;
    dbm_option one;
    char between = '?', number[24], *text;
    dbm__text t;
    need += strlen(url->hosts) + 3 * (strlen(url->path) + (user != NULL ? strlen(user) : 0) + (password != NULL ? strlen(password) : 0));
    for (i = 0; dbm__adapter_argument(db, &i, &one) != NULL;) need += strlen(one.name) + 3 * strlen(one.value) + 2;
    if (config->tls_ca != NULL) need += 3 * strlen(config->tls_ca) + 32;
    if (config->tls_cert != NULL) need += 3 * strlen(config->tls_cert) + 32;
    text = (char *)dbm_adapter_alloc(db, need);
    if (text == NULL) return NULL;
    t = dbm__text_in(text, need);
    dbm__putf(&t, "%s%s%s://", url->scheme, url->driver[0] != 0 ? "+" : "", url->driver);
    if (user != NULL && user[0] != 0) {
        dbm__mongo_put_encoded(&t, user);
        if (password != NULL && password[0] != 0) {
            dbm__put(&t, ":");
            dbm__mongo_put_encoded(&t, password);
        }
        dbm__put(&t, "@");
    }
    dbm__put(&t, url->hosts);
    dbm__put(&t, "/");
    dbm__mongo_put_encoded(&t, url->path);
    for (i = 0; dbm__adapter_argument(db, &i, &one) != NULL;) {
        const char *last = dbm__list_has(DBM__MONGO_OPTIONS, one.name, strlen(one.name)) ? NULL : dbm__mongo_said(db, one.name);
        if (last == NULL) continue;
        if (last != one.value && !dbm__same_word(one.name, "readPreferenceTags")) continue; /* the only one that may be given more than once */
        dbm__mongo_put_option(&t, &between, one.name, one.value);
    }
    dbm__format(number, sizeof number, "%d", config->connect_timeout_ms > 0 ? config->connect_timeout_ms : 5000);
    if (dbm__mongo_said(db, "serverSelectionTimeoutMS") == NULL) dbm__mongo_put_option(&t, &between, "serverSelectionTimeoutMS", number);
    if (dbm__mongo_said(db, "connectTimeoutMS") == NULL) dbm__mongo_put_option(&t, &between, "connectTimeoutMS", number);
    dbm__format(number, sizeof number, "%d", base->silence_ms);
    if (dbm__mongo_said(db, "socketTimeoutMS") == NULL) dbm__mongo_put_option(&t, &between, "socketTimeoutMS", number);
    dbm__mongo_put_tls(base, &t, &between);
    if (config->tls_ca != NULL && config->tls_ca[0] != 0) dbm__mongo_put_option(&t, &between, "tlsCAFile", config->tls_ca);
    if (config->tls_cert != NULL && config->tls_cert[0] != 0) dbm__mongo_put_option(&t, &between, "tlsCertificateKeyFile", config->tls_cert);
    DBM_ASSERT(!t.cut);
    *capacity = need;
    return text;
}

static bool dbm__mongo_same(const char *a, const char *b) { return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0; }

/* A pool of the driver's for these credentials. NULL: *error says why, or there is no memory. */
static dbm__mongo_pool *dbm__mongo_pool_new(dbm__mongo_base *base, const char *user, const char *password, bson_error_t *error) {
    dbm_database *db = base->db;
    const dbm_config *config = dbm_adapter_config(db);
    dbm__mongo_pool *p = (dbm__mongo_pool *)dbm__adapter_zeroed(db, sizeof *p);
    size_t size = 0;
    char *text = dbm__mongo_url(base, user, password, &size);
    memset(error, 0, sizeof *error);
    if (p != NULL && text != NULL) {
        p->base = base;
        p->epoch = dbm__fork_epoch();
        p->user = user != NULL ? dbm__copy_text(db->host, user, strlen(user)) : NULL;
        p->password = password != NULL ? dbm__copy_text(db->host, password, strlen(password)) : NULL;
        if ((p->user != NULL || user == NULL) && (p->password != NULL || password == NULL)) p->uri = mongoc_uri_new_with_error(text, error);
        if (p->uri != NULL) p->pool = DBM__MONGO_POOL_NEW(p->uri, error);
        if (p->uri != NULL && p->pool == NULL && error->message[0] == 0) {
            dbm__copy_cut(error->message, sizeof error->message, "the driver refuses the URL's options, or can't look up its hosts");
        }
    }
    if (text != NULL) dbm__wipe(text, size);
    dbm_adapter_free(db, text);
    if (p == NULL || p->pool == NULL) {
        if (p != NULL) dbm__mongo_pool_free(base, p);
        return NULL;
    }
    mongoc_client_pool_set_error_api(p->pool, MONGOC_ERROR_API_VERSION_2);
#if DBM__MONGO_SOCKET_TIMEOUT
    if (base->plain) {
        mongoc_apm_callbacks_t *callbacks = mongoc_apm_callbacks_new();
        mongoc_apm_set_command_started_cb(callbacks, dbm__mongo_try_starts);
        mongoc_apm_set_command_failed_cb(callbacks, dbm__mongo_try_failed);
        (void)mongoc_client_pool_set_apm_callbacks(p->pool, callbacks, p);
        mongoc_apm_callbacks_destroy(callbacks);
    }
#endif
    mongoc_client_pool_max_size(p->pool, (uint32_t)(config->pool.size + (config->pool.max_overflow > 0 ? config->pool.max_overflow : 0)) + 2u);
    return p;
}

/* In a child process the lock may have been held by a thread that is not here. */
static void dbm__mongo_after_fork(dbm__mongo_base *base) {
    dbm__word epoch = dbm__fork_epoch(), was = dbm__load(&base->epoch);
    if (was == epoch || !dbm__cas(&base->epoch, &was, epoch)) return;
    dbm__lock_init(&base->lock);
}

/* The current pool for these credentials, one user more; NULL: *error says why, or there is no memory. */
static dbm__mongo_pool *dbm__mongo_pool_take(dbm__mongo_base *base, const char *user, const char *password, bson_error_t *error) {
    dbm__mongo_pool *p, *idle = NULL;
    memset(error, 0, sizeof *error);
    dbm__mongo_after_fork(base);
    dbm__lock_take(&base->lock);
    p = base->pools;
    if (p == NULL || p->epoch != dbm__fork_epoch() || !dbm__mongo_same(p->user, user) || !dbm__mongo_same(p->password, password)) {
        p = dbm__mongo_pool_new(base, user, password, error);
        if (p != NULL) {
            if (base->pools != NULL && base->pools->users == 0) {
                idle = base->pools;
                base->pools = idle->older;
            }
            p->older = base->pools;
            base->pools = p;
            dbm_adapter_set_db_native(base->db, p->pool);
        }
    }
    if (p != NULL) p->users++;
    dbm__lock_give(&base->lock);
    if (idle != NULL) dbm__mongo_pool_free(base, idle);
    return p;
}

static void dbm__mongo_pool_give(dbm__mongo_base *base, dbm__mongo_pool *p) {
    dbm__mongo_pool **at;
    bool gone;
    dbm__mongo_after_fork(base);
    dbm__lock_take(&base->lock);
    gone = --p->users == 0 && p != base->pools;
    if (gone) {
        for (at = &base->pools; *at != NULL && *at != p; at = &(*at)->older) {}
        if (*at == p) *at = p->older;
    }
    dbm__lock_give(&base->lock);
    if (gone) dbm__mongo_pool_free(base, p);
}

#define DBM__MONGO_SOON_US 300000 /* as long as a server that answers takes */

/* A file that can't be read shows in the driver as a server that can't be reached, and takes 1.28.0 down. */
static dbm_status dbm__mongo_tls_files(dbm_connection *c) {
#if DBM__STDIO
    const dbm_config *config = dbm_adapter_config(dbm_adapter_database(c));
    int i;
    for (i = 0; i < 2 && config->tls != DBM_TLS_OFF; i++) {
        const char *name = i == 0 ? config->tls_ca : config->tls_cert;
        FILE *f;
        if (name == NULL || name[0] == 0) continue;
        f = fopen(name, "rb");
        if (f == NULL) return dbm__adapter_say(c, DBM_E_TLS, NULL, 0, "%s can't be read: %s", i == 0 ? "tls_ca" : "tls_cert", name);
        (void)fclose(f);
    }
#else
    (void)c;
#endif
    return DBM_OK;
}

/* One look at each host, through a client outside of the pool, for a pool tells of a bad certificate only when all of serverSelectionTimeoutMS is over:
 * a better one might come. True: a server can be used. It does not authenticate. */
static bool dbm__mongo_looked(dbm__mongo_lease *m, int64_t left_ms, bson_error_t *error) {
    mongoc_uri_t *uri = mongoc_uri_copy(m->pool->uri);
    mongoc_read_prefs_t *any = mongoc_read_prefs_new(MONGOC_READ_NEAREST);
    mongoc_server_description_t *server = NULL;
    mongoc_client_t *client;
    int64_t ms = left_ms / 4;
    ms = ms < 100 ? 100 : ms > 1000 ? 1000 : ms;
    if (uri != NULL && mongoc_uri_get_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, 10000) > ms) {
        mongoc_uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, (int32_t)ms);
    }
    if (uri != NULL) mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, true);
    client = uri != NULL ? mongoc_client_new_from_uri(uri) : NULL;
    if (client != NULL) {
        server = mongoc_client_select_server(client, false, any, error);
        if (server != NULL) mongoc_server_description_destroy(server);
        mongoc_client_destroy(client);
    }
    mongoc_read_prefs_destroy(any);
    if (uri != NULL) mongoc_uri_destroy(uri);
    return server != NULL;
}

/* Before the first command of a client: that the driver will find a server for it in time, or why it won't. */
static dbm_status dbm__mongo_search(dbm__mongo_lease *m, const dbm_op *op) {
    int64_t began = dbm_adapter_clock(m->owner), limit = op->deadline_us, left_ms = limit == INT64_MAX ? INT64_MAX : (limit - began) / 1000;
    bson_error_t error;
    dbm_status status;
    memset(&error, 0, sizeof error);
    if (mongoc_uri_get_tls(m->pool->uri) && !dbm__mongo_wait(m, limit < began + DBM__MONGO_SOON_US ? limit : began + DBM__MONGO_SOON_US, false)) {
        if (dbm__mongo_looked(m, left_ms, &error)) return DBM_OK;
        if (dbm__mongo_is_tls(error.message)) return dbm__mongo_fail(m, op, &error, NULL, "connecting", NULL);
    }
    if (left_ms >= m->base->select_ms - 250 || dbm__mongo_wait(m, limit, false)) return DBM_OK;
    status = dbm__mongo_say(m, DBM_E_CONNECT, 0, "no server of %s answered before the deadline%s%s", dbm_adapter_url(m->owner)->hosts, error.message[0] != 0 ? ": " : "", error.message);
    dbm_adapter_fail_retryable(m->c);
    return status;
}

static dbm_status dbm__mongo_pinged(dbm__mongo_lease *m, dbm_op *op, const char *what) {
    bson_t command = BSON_INITIALIZER, reply;
    bson_error_t error;
    dbm_status status = DBM_OK;
    bool again;
    bson_append_int32(&command, "ping", 4, 1);
    do {
        again = m->wire->mute > 0; /* what an earlier lease gave up: the driver drops it when it meets it */
        dbm__mongo_bound(m->wire, op);
        if (mongoc_client_command_simple(m->client, m->base->name, &command, mongoc_client_get_read_prefs(m->client), &reply, &error)) break;
        again = again && m->wire->over == DBM_OK;
        if (again) bson_destroy(&reply);
        else status = dbm__mongo_fail(m, op, &error, &reply, what, NULL);
    } while (again);
    bson_destroy(&reply);
    bson_destroy(&command);
    return status;
}

/* Clients are the pool's; what they send goes over a wire of ours, which a client that has been here before has already. */
static dbm_status dbm__mongo_wire_up(dbm__mongo_lease *m) {
    dbm__mongo_wire *w;
    dbm__lock_take(&m->base->lock);
    for (w = m->pool->wires; w != NULL && w->client != m->client; w = w->next) {}
    if (w == NULL && (w = (dbm__mongo_wire *)dbm__adapter_zeroed(m->owner, sizeof *w)) != NULL) {
        w->client = m->client;
        w->base = m->base;
        w->uri = m->pool->uri;
        w->until_us = INT64_MAX;
        w->next = m->pool->wires;
        m->pool->wires = w;
        w->patience_ms = m->base->silence_ms;
#if DBM__MONGO_STREAMS
        if (!m->base->plain) mongoc_client_set_stream_initiator(m->client, dbm__mongo_dial, w);
#endif
    }
    dbm__lock_give(&m->base->lock);
    if (w == NULL) return dbm_adapter_fail(m->c, DBM_E_NOMEM, NULL, 0, NULL);
    w->c = m->c;
    m->wire = w;
    return DBM_OK;
}

static void dbm__mongo_lease_end(dbm__mongo_lease *m) {
    dbm_database *db = m->owner;
    dbm__mongo_bulk_free(m);
    dbm__mongo_collection_give(m, NULL);
    if (m->session != NULL) { /* with a transaction that is open it tells the server */
        dbm_op op;
        memset(&op, 0, sizeof op);
        op.kind = DBM_OP_ROLLBACK;
        op.deadline_us = dbm_adapter_clock(db);
        dbm__mongo_bound(m->wire, &op);
        mongoc_client_session_destroy(m->session);
    }
    if (m->wire != NULL) {
        m->wire->c = NULL;
        m->wire->until_us = INT64_MAX;
        m->wire->over = DBM_OK;
        m->wire->hears = false;
    }
    if (m->client != NULL) mongoc_client_pool_push(m->pool->pool, m->client);
    dbm__mongo_pool_give(m->base, m->pool);
    dbm__mongo_results_free(m);
    dbm_adapter_free(db, m);
}

static dbm_status dbm__mongo_connect(dbm_connection *c, dbm_op *op) {
    dbm_database *db = dbm_adapter_database(c);
    dbm__mongo_base *base = (dbm__mongo_base *)dbm_adapter_db_data(db);
    dbm_credentials who;
    bson_error_t error;
    dbm__mongo_lease *m;
    dbm_status status = dbm_adapter_credentials(c, &who);
    if (status == DBM_OK) status = dbm__mongo_tls_files(c);
    if (status != DBM_OK) return status;
    m = (dbm__mongo_lease *)dbm__adapter_zeroed(db, sizeof *m);
    if (m == NULL) return dbm_adapter_fail(c, DBM_E_NOMEM, NULL, 0, NULL);
    m->c = c;
    m->document = -1;
    m->owner = db;
    m->base = base;
    m->pool = dbm__mongo_pool_take(base, who.user, who.password, &error);
    if (m->pool == NULL) {
        status = error.message[0] != 0 ? dbm_adapter_fail(c, DBM_E_CONNECT, NULL, (int)error.code, error.message) : dbm_adapter_fail(c, DBM_E_NOMEM, NULL, 0, NULL);
        dbm_adapter_free(db, m);
        return status;
    }
    m->client = mongoc_client_pool_try_pop(m->pool->pool);
    if (m->client == NULL) {
        status = dbm_adapter_fail(c, DBM_E_CONNECT, NULL, 0, "the driver's own pool has no client left: clients that dbm_db_native()'s pool gave out were not given back");
    } else {
        if (base->clear) dbm_adapter_clear_text(c);
        status = dbm__mongo_wire_up(m);
        if (status == DBM_OK) status = dbm__mongo_search(m, op);
        if (status == DBM_OK) status = dbm__mongo_pinged(m, op, "connecting");
    }
    if (status != DBM_OK) {
        dbm__mongo_lease_end(m);
        return status;
    }
    dbm_adapter_set_data(c, m);
    return DBM_OK;
}

static void dbm__mongo_disconnect(dbm_connection *c, dbm_disconnect how) {
    dbm__mongo_lease *m = (dbm__mongo_lease *)dbm_adapter_data(c);
    if (m == NULL) return;
    dbm_adapter_set_data(c, NULL);
    if (how == DBM_DISCONNECT_FORKED) { /* the client, its sockets and its session are the parent's: what is ours here is this block */
        m->session = NULL;
        m->client = NULL;
    }
    dbm__mongo_lease_end(m);
}

/* What waits for the server is woken: it is over with its socket in any case. */
static void dbm__mongo_cancel(dbm_connection *c) {
    dbm__mongo_lease *m = (dbm__mongo_lease *)dbm_adapter_data(c);
    dbm__word waits = m != NULL ? dbm__load(&m->wire->waits) : 0;
    if (waits == 0 || waits >= DBM__MONGO_SHUTTING || !dbm__cas(&m->wire->waits, &waits, DBM__MONGO_SHUTTING)) return;
    dbm__net_shut((int)waits - 1);
    dbm__store_release(&m->wire->waits, DBM__MONGO_SHUT);
}

static dbm_status dbm__mongo_ping(dbm_connection *c, dbm_op *op) { return dbm__mongo_pinged((dbm__mongo_lease *)dbm_adapter_data(c), op, "ping"); }

/* All that can be changed on a client. */
static dbm_status dbm__mongo_reset(dbm_connection *c, dbm_op *op) {
    dbm__mongo_lease *m = (dbm__mongo_lease *)dbm_adapter_data(c);
    dbm_status status = dbm__mongo_rollback(m, op);
    if (status != DBM_OK) return status;
    m->changed = false;
    mongoc_client_set_read_prefs(m->client, mongoc_uri_get_read_prefs_t(m->pool->uri));
    mongoc_client_set_read_concern(m->client, mongoc_uri_get_read_concern(m->pool->uri));
    mongoc_client_set_write_concern(m->client, mongoc_uri_get_write_concern(m->pool->uri));
    mongoc_client_set_error_api(m->client, MONGOC_ERROR_API_VERSION_2);
    return DBM_OK;
}

static dbm_status dbm__mongo_execute(dbm_connection *c, dbm_op *op) {
    dbm__mongo_lease *m = (dbm__mongo_lease *)dbm_adapter_data(c);
    switch (op->kind) {
    case DBM_OP_COMMAND: return dbm__mongo_command(m, op);
    case DBM_OP_FINISH:
        if (op->result != NULL) dbm__mongo_result_end(m, (dbm__mongo_result *)op->result);
        op->result = NULL;
        return DBM_OK;
    case DBM_OP_HOLD: return DBM_OK; /* a cursor lives at the server, whatever else is sent */
    case DBM_OP_BEGIN: return dbm__mongo_begin_transaction(m, op);
    case DBM_OP_COMMIT: return dbm__mongo_commit(m, op);
    case DBM_OP_ROLLBACK: return dbm__mongo_rollback(m, op);
    case DBM_OP_NATIVE:
        op->native = m->client;
        m->changed = true;
        dbm__mongo_collection_give(m, NULL);
        return DBM_OK;
    case DBM_OP_PREPARE: case DBM_OP_EXECUTE: case DBM_OP_SCRIPT:
        return dbm__mongo_say(m, DBM_E_UNSUPPORTED, 0, "MongoDB has no SQL: use dbm_mongo_find, dbm_mongo_insert, dbm_mongo_update and their fellows, or dbm_mongo_command for any command");
    case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO:
        return dbm__mongo_say(m, DBM_E_UNSUPPORTED, 0, "MongoDB has no savepoints: a transaction succeeds or fails whole");
    case DBM_OP_UNPREPARE: return DBM_OK;
    case DBM_OP_BULK: return dbm__mongo_bulk_begin(m, op);
    case DBM_OP_BULK_SEND: return dbm__mongo_bulk_send(m, op);
    case DBM_OP_BULK_END: return dbm__mongo_bulk_end(m, op);
    case DBM_OP_CONNECT: case DBM_OP_FETCH: case DBM_OP_PING: case DBM_OP_RESET:
    case DBM_OP_SYNC: case DBM_OP_RECEIVE: case DBM_OP_LISTEN: case DBM_OP_NOTIFIED: case DBM__OP_SIGNED: break;
    }
    return DBM_E_UNSUPPORTED;
}

/* ---- configuration --------------------------------------------------------------------------------------------------------------------------------- */

/* The driver only logs what it does not know, and goes on without it. */
static const char *const dbm__mongo_known[] = {
    "appName", "authMechanism", "authMechanismProperties", "authSource", "canonicalizeHostname", "compressors", "connectTimeoutMS", "directConnection",
    "gssapiServiceName", "heartbeatFrequencyMS", "journal", "loadBalanced", "localThresholdMS", "maxIdleTimeMS", "maxPoolSize", "maxStalenessSeconds",
    "readConcernLevel", "readPreference", "readPreferenceTags", "replicaSet", "retryReads", "retryWrites", "safe", "serverMonitoringMode",
    "serverSelectionTimeoutMS", "serverSelectionTryOnce", "socketCheckIntervalMS", "socketTimeoutMS", "srvMaxHosts", "srvServiceName", "ssl", "tls",
    "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames", "tlsCAFile", "tlsCertificateKeyFile", "tlsCertificateKeyFilePassword",
    "tlsDisableCertificateRevocationCheck", "tlsDisableOCSPEndpointCheck", "tlsInsecure", "w", "wTimeoutMS", "zlibCompressionLevel",
    "sslClientCertificateKeyFile", "sslClientCertificateKeyPassword", "sslCertificateAuthorityFile", "sslAllowInvalidCertificates", "sslAllowInvalidHostnames"
};
enum { DBM__MONGO_KNOWN = (int)(sizeof dbm__mongo_known / sizeof dbm__mongo_known[0]) };

static dbm_status dbm__mongo_check_options(dbm_database *db) {
    const char *where;
    dbm_option one;
    size_t i = 0;
    int k;
    while ((where = dbm__adapter_argument(db, &i, &one)) != NULL) {
        for (k = 0; k < DBM__MONGO_KNOWN && !dbm__same_word(dbm__mongo_known[k], one.name); k++) {}
        if (k < DBM__MONGO_KNOWN || dbm__list_has(DBM__MONGO_OPTIONS, one.name, strlen(one.name))) continue;
        return dbm__adapter_unknown(db, where, one.name, dbm__mongo_known, DBM__MONGO_KNOWN, "is no option of MongoDB's driver");
    }
    return DBM_OK;
}

static dbm_status dbm__mongo_check_tls(dbm_database *db) {
    const dbm_config *config = dbm_adapter_config(db);
    const char *said = dbm__mongo_said(db, "tls");
    bool on = false;
    if (said == NULL) said = dbm__mongo_said(db, "ssl");
    if (config->tls == DBM_TLS_PREFER) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "tls = prefer: MongoDB's driver can't try encryption and go on without it: say off, require, verify-ca or verify-full");
    }
    if (said != NULL && config->tls != DBM_TLS_DEFAULT && dbm__parse_bool(said, &on) && on != (config->tls != DBM_TLS_OFF)) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "tls differs from the URL's tls=%s: leave one of them out", said);
    }
#if !defined(MONGOC_ENABLE_SSL)
    if (config->tls > DBM_TLS_PREFER) return dbm__adapter_refuse(db, DBM_E_CONFIG, "tls: this libmongoc was built without TLS");
#endif
    if (config->tls_key != NULL && config->tls_key[0] != 0 && (config->tls_cert == NULL || config->tls_cert[0] == 0 || strcmp(config->tls_key, config->tls_cert) != 0)) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "tls_key: MongoDB's driver wants certificate and key in one PEM file: name it as tls_cert, and leave tls_key out");
    }
    return DBM_OK;
}

static bool dbm__mongo_local(const char *hosts) {
    char host[256];
    int port;
    while (hosts != NULL && *hosts != 0) {
        (void)dbm__host_next(&hosts, host, sizeof host, &port);
        if (host[0] != '/' && !dbm__same_word(host, "localhost") && strncmp(host, "127.", 4) != 0 && strcmp(host, "::1") != 0) return false;
    }
    return true;
}

static int dbm__mongo_ms(dbm_database *db, const char *name, int otherwise) {
    const char *said = dbm__mongo_said(db, name);
    int64_t ms = 0;
    return said != NULL && dbm__parse_int(said, 0, INT32_MAX, &ms) ? (int)ms : otherwise;
}

/* Warnings of the driver hold addresses and what servers sent, and would go to stderr: what matters comes as the error of a call. */
static void dbm__mongo_log(mongoc_log_level_t level, const char *domain, const char *message, void *ud) {
    (void)level;
    (void)domain;
    (void)message;
    (void)ud;
}

static dbm_status dbm__mongo_start(dbm_database *db) {
    const char *log = dbm_adapter_option(db, "driver_log");
    dbm__word was = DBM__MONGO_NEW;
    if (log != NULL && !dbm__list_has("off,keep", log, strlen(log))) return dbm__adapter_refuse(db, DBM_E_CONFIG, "driver_log = %s: expected off, or keep (the handler of the program's own)", log);
    if (dbm__load(&dbm__mongo_driver) == DBM__MONGO_ENDED) {
        return dbm__adapter_refuse(db, DBM_E_UNSUPPORTED, "libmongoc was torn down by a manager with own_drivers, and can't be started again in this process");
    }
    if (dbm__cas(&dbm__mongo_driver, &was, DBM__MONGO_STARTED) && (log == NULL || strcmp(log, "off") == 0)) mongoc_log_set_handler(dbm__mongo_log, NULL);
    mongoc_init(); /* does it once, whoever calls it how often */
    return DBM_OK;
}

static dbm_status dbm__mongo_configure(dbm_database *db, dbm__mongo_base *base) {
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    const char *mechanism = dbm__mongo_said(db, "authMechanism");
    int slots = config->pool.size + (config->pool.max_overflow > 0 ? config->pool.max_overflow : 0), most;
    base->name = dbm_adapter_option(db, "database");
    if (base->name == NULL) base->name = url->path;
    if (url->hosts[0] == 0) return dbm__adapter_refuse(db, DBM_E_CONFIG, "the URL names no host: mongodb://user:password@host:27017/database");
    if (base->name == NULL || base->name[0] == 0) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "the URL names no database: mongodb://host:27017/NAME, or the key database = NAME beside a URL whose path is the one of the user");
    }
    if (strpbrk(base->name, "/\\. \"$") != NULL || strlen(base->name) > 63) return dbm__adapter_refuse(db, DBM_E_CONFIG, "%q can't be the name of a MongoDB database: up to 63 bytes, none of / \\ . \" $ and blanks", base->name);
    if (config->isolation != DBM_ISOLATION_DEFAULT && config->isolation != DBM_AUTOCOMMIT) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "isolation_level: MongoDB has none; readConcernLevel and w in the URL say what is seen and when it is kept");
    }
    if (config->init_sql != NULL && config->init_sql[0] != 0) return dbm__adapter_refuse(db, DBM_E_CONFIG, "init_sql: MongoDB has no SQL");
    most = dbm__mongo_ms(db, "maxPoolSize", slots);
    if (most < slots) {
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "maxPoolSize=%d is less than the %d connections of pool_size and max_overflow: say max_connections = %d in its place", most, slots, most);
    }
    base->local = dbm__mongo_local(url->hosts);
    base->clear = !base->local && url->driver[0] == 0 && mechanism != NULL && dbm__same_word(mechanism, "PLAIN") && config->tls <= DBM_TLS_PREFER &&
                  config->tls != DBM_TLS_OFF && dbm__mongo_said(db, "tls") == NULL && dbm__mongo_said(db, "ssl") == NULL;
    base->select_ms = dbm__mongo_ms(db, "serverSelectionTimeoutMS", config->connect_timeout_ms > 0 ? config->connect_timeout_ms : 5000);
    base->silence_ms = dbm__mongo_ms(db, "socketTimeoutMS", config->socket_timeout_ms > 0 ? config->socket_timeout_ms : DBM__MONGO_SILENCE_MS);
    /* What these two say can't be said to TLS from outside of the driver. */
    base->plain = !DBM__MONGO_STREAMS || dbm__mongo_said(db, "tlsDisableCertificateRevocationCheck") != NULL || dbm__mongo_said(db, "tlsDisableOCSPEndpointCheck") != NULL;
    return dbm__mongo_check_tls(db);
}

static dbm_status dbm__mongo_init(dbm_database *db) {
    const dbm_url *url = dbm_adapter_url(db);
    dbm__mongo_base *base;
    dbm__mongo_pool *p;
    bson_error_t error;
    dbm_status status = dbm__mongo_check_options(db);
    if (status == DBM_OK) status = dbm__mongo_start(db);
    if (status != DBM_OK) return status;
    base = (dbm__mongo_base *)dbm__adapter_zeroed(db, sizeof *base);
    if (base == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    base->db = db;
    base->epoch = dbm__fork_epoch();
    status = dbm__mongo_configure(db, base);
    if (status == DBM_OK && !dbm__lock_init(&base->lock)) status = dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    if (status != DBM_OK) {
        dbm_adapter_free(db, base);
        return status;
    }
    dbm_adapter_set_db_data(db, base);
    if (url->driver[0] != 0 || dbm_adapter_config(db)->credentials != NULL) return DBM_OK; /* names are looked up, or passwords asked for, by the first connect */
    p = dbm__mongo_pool_new(base, url->user, url->password, &error);
    if (p == NULL) {
        dbm_adapter_set_db_data(db, NULL);
        dbm__lock_free(&base->lock);
        dbm_adapter_free(db, base);
        if (error.message[0] == 0) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
        return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s", error.message);
    }
    base->pools = p;
    dbm_adapter_set_db_native(db, p->pool);
    return DBM_OK;
}

static void dbm__mongo_close(dbm_database *db) {
    dbm__mongo_base *base = (dbm__mongo_base *)dbm_adapter_db_data(db);
    if (base == NULL) return;
    dbm_adapter_set_db_native(db, NULL);
    dbm_adapter_set_db_data(db, NULL);
    while (base->pools != NULL) {
        dbm__mongo_pool *older = base->pools->older;
        dbm__mongo_pool_free(base, base->pools);
        base->pools = older;
    }
    dbm__lock_free(&base->lock);
    dbm_adapter_free(db, base);
}

static const dbm_adapter dbm__mongo_adapter = {
    sizeof(dbm_adapter), DBM_ADAPTER_VERSION,
    "mongodb", "mongodb,mongodb+srv", DBM__MONGO_OPTIONS,
    DBM_ADAPTER_TRANSACTIONS_ASKED | DBM_ADAPTER_DOCUMENTS,
    DBM_PH_NATIVE, DBM_LEX_NOT_SQL,
    dbm__mongo_init, dbm__mongo_close,
    dbm__mongo_connect, dbm__mongo_disconnect, NULL, dbm__mongo_ping, dbm__mongo_reset,
    dbm__mongo_cancel,
    NULL,
    dbm__mongo_execute, dbm__mongo_fetch, dbm__mongo_column, dbm__mongo_column_name,
    NULL, NULL, /* start, step: the driver blocks */
    dbm__mongo_bulk_row, NULL
};

DBM__FN const dbm_adapter *dbm__adapter_mongodb(void) { return &dbm__mongo_adapter; }

DBM__FN void dbm__adapter_mongodb_shutdown(void) {
    dbm__word was = DBM__MONGO_STARTED;
    if (dbm__cas(&dbm__mongo_driver, &was, DBM__MONGO_ENDED)) mongoc_cleanup();
}

#endif /* DBM__MONGOC_H */
#endif /* DBM_HAS_MONGODB */
