/* Redis: its commands as calls. The prototypes are always here; without DBM_WITH_REDIS the calls answer E_NOT_COMPILED.
 * May call: types.h, map.h, session.h.
 * Must not know: sockets, how a command travels. */

/* >>redis
 * Each call takes a session or a database as first argument, as dbm_exec() does; what it gives comes next, then keys and values. Keys, fields and
 * values are plain C arguments or dbm_...() values of any type: texts, integers, doubles (as the shortest text that reads back the same), and
 * dbm_blob(p, n) for bytes, NULs among them; 32 at most, each evaluated once. NULL is E_MISUSE, for Redis has none.
 *
 *     dbm_redis_set(s, "user:1", "Ada", 60);                              60: seconds to live; 0: for ever
 *     if (dbm_redis_get(s, &row, "user:1") == DBM_OK) puts(dbm_row_text(row, 0));
 *     dbm_redis_command(s, "SET %s %b", key, dbm_blob(data, size));
 *     DBM_REDIS_EACH(s, row, "LRANGE %s 0 -1", key) { puts(dbm_row_text(row, 0)); }
 *
 * Rows      a reply that is no array is one row of one column; an array is a row per element; what Redis means as pairs (HGETALL, CONFIG GET,
 *           WITHSCORES, WITHVALUES, ZPOPMIN and ZPOPMAX) is a row per pair, of two columns. nil is NULL. Integers are DBM_TYPE_INT, bytes DBM_TYPE_TEXT when they
 *           are UTF-8 without a NUL and DBM_TYPE_BLOB else; dbm_row_blob() gives either. A value that is an array itself is JSON text, in which bytes that
 *           are not UTF-8 are {"base64":"..."}. A reply is read whole before the call returns, however long it is.
 * Sessions  each command stands alone: nothing is undone. A failure sticks as everywhere, all but E_NOT_FOUND. What a session leaves on
 *           its connection (MULTI, WATCH, SELECT) is undone at its end; after CLIENT SETNAME, AUTH and the like the connection is closed.
 * Errors    E_SQL: the server refused it, in its words (WRONGTYPE ...); E_AUTH: NOPERM, NOAUTH; E_READ_ONLY: a replica, or a read_only session;
 *           E_LIMIT: OOM; E_CONNECT, retryable: LOADING, MASTERDOWN, CLUSTERDOWN; E_UNSUPPORTED: MOVED and ASK of a cluster, SUBSCRIBE and its like,
 *           a database of another type; E_MISUSE; E_TIMEOUT, E_CANCELLED and E_LOST, which are E_IN_DOUBT when the command may have changed
 *           something: it is done or not, and never sent again. A command that only reads is sent once more on another connection when its own was found dead.
 *           A deadline or a cancel costs the connection, for Redis can't stop a command. On a database also those of dbm_session_begin().
 * Threads   as the session; on a database any.
 * Source    the commands are described at redis.io/commands. */
typedef enum dbm__redis_want {
    DBM__REDIS_WANT_SIGNED = -1,
    DBM__REDIS_WANT_NOTHING = 0, /* that it succeeds */
    DBM__REDIS_WANT_INTEGER,     /* int64_t, may be NULL */
    DBM__REDIS_WANT_FOUND,       /* 1, else E_NOT_FOUND */
    DBM__REDIS_WANT_TTL,         /* int64_t; -2 is E_NOT_FOUND */
    DBM__REDIS_WANT_VALUE,       /* dbm_row: the first, E_NOT_FOUND when it is NULL */
    DBM__REDIS_WANT_ROW,         /* dbm_row: the first, E_NOT_FOUND when there is none */
    DBM__REDIS_WANT_ROWS,        /* dbm_rows */
    DBM__REDIS_WANT_COPY,        /* dbm__redis_buffer */
    DBM__REDIS_WANT_LATER,       /* nothing now: it is sent without waiting */
    DBM__REDIS_WANT_NEXT,        /* dbm_row, may be NULL: of the next reply to one that was sent */
    DBM__REDIS_WANT_NEXT_ROWS,   /* dbm_rows, may be NULL */
    DBM__REDIS_WANT_WORDS,       /* dbm__redis_use: its words, which somebody else sends */
    DBM__REDIS_READS = 16,       /* it changes nothing */
    DBM__REDIS_FORMAT = 32,      /* the name is a format; whether it changes anything is found by its first word */
    DBM__REDIS_EXPIRES = 64      /* the last value is seconds to live */
} dbm__redis_want;
typedef struct dbm__redis_buffer { char *data; size_t capacity, *size; } dbm__redis_buffer;

#ifdef __cplusplus
extern "C" {
#endif
DBM_API dbm_status dbm__redis_call(dbm_session *on, const char *site, int want, void *out, const char *name, const char *codes, ...);
DBM_API dbm_status dbm__redis_callv(dbm_session *on, const char *site, int want, void *out, const char *name, const dbm_value *values, int count);
DBM_API dbm__cursor dbm__redis_each(dbm_session *on, const char *site, const char *format, const char *codes, ...);
DBM_API dbm__cursor dbm__redis_eachv(dbm_session *on, const char *site, const char *format, const dbm_value *values, int count);
#ifdef __cplusplus
}
template <class... V>
inline dbm_status dbm__redis_call_cpp(dbm_session *on, const char *site, int want, void *out, const char *name, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__redis_callv(on, site, want, out, name, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm__cursor dbm__redis_each_cpp(dbm_session *on, const char *site, const char *format, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__redis_eachv(on, site, format, a, static_cast<int>(sizeof...(V)));
}
#endif
/* The pointers' types are checked here, before they become void *. */
static inline void *dbm__redis_to_int(int64_t *p) { return p; }
static inline void *dbm__redis_to_row(dbm_row **p) { return p; }
static inline void *dbm__redis_to_rows(dbm_rows **p) { return p; }
static inline dbm__redis_buffer dbm__redis_to_buffer(char *data, size_t capacity, size_t *size) {
    dbm__redis_buffer b;
    b.data = data; b.capacity = capacity; b.size = size;
    return b;
}
#define DBM__REDIS(on, want, out, ...) DBM__CALL(dbm__redis_call)(DBM__ON(on), DBM__SITE, want, out, DBM__VALUES(__VA_ARGS__))

/* Any command. `format` is its text: words between blanks; in them a value stands for %s (a text), %b (bytes: dbm_blob(p, n), or a char pointer and
 * its size), %d and %l (an integer of any width), %f (a double), and %% for a percent sign. A value is never split, whatever it holds, and the types of the
 * values are checked against the format. Quotes have no meaning: a text with blanks is a %s.
 *   dbm_redis_command(s, format, ...)             the reply is dropped
 *   dbm_redis_query(s, &rows, format, ...)        its rows, as of dbm_query(): dbm_rows_next(), dbm_rows_end()
 *   dbm_redis_query_one(s, &row, format, ...)     the first row, as of dbm_query_one(); E_NOT_FOUND when there is none
 *   DBM_REDIS_EACH(s, row, format, ...) { }       a loop over the rows
 *   dbm_redis_commandv(s, values, n), dbm_redis_queryv(s, &rows, values, n)   the words as they are, any number; values[0] is the name
 * Errors    also E_MISUSE: a value too few or too many, of another type than the format says, a quote, an unknown %. */
#define dbm_redis_command(on, ...) DBM__REDIS(on, DBM__REDIS_FORMAT | DBM__REDIS_WANT_NOTHING, NULL, __VA_ARGS__)
#define dbm_redis_query(on, rows, ...) DBM__REDIS(on, DBM__REDIS_FORMAT | DBM__REDIS_WANT_ROWS, dbm__redis_to_rows(rows), __VA_ARGS__)
#define dbm_redis_query_one(on, row, ...) DBM__REDIS(on, DBM__REDIS_FORMAT | DBM__REDIS_WANT_ROW, dbm__redis_to_row(row), __VA_ARGS__)
#define DBM_REDIS_EACH(on, row, ...) DBM__ROWS(dbm__r_##row, row, DBM__CALL(dbm__redis_each)(DBM__ON(on), DBM__SITE, DBM__VALUES(__VA_ARGS__)))
#define dbm_redis_commandv(on, values, count) dbm__redis_callv(DBM__ON(on), DBM__SITE, DBM__REDIS_WANT_NOTHING, NULL, NULL, values, count)
#define dbm_redis_queryv(on, rows, values, count) \
    dbm__redis_callv(DBM__ON(on), DBM__SITE, DBM__REDIS_WANT_ROWS, dbm__redis_to_rows(rows), NULL, values, count)

/* Pipelines, within one session: commands that are sent without waiting, many with one send, and then their replies in the same order.
 *   dbm_redis_send(s, format, ...)                puts a command in the pipeline; it leaves when 16 KB of them are there, or with the next call that
 *                                                 waits (a receive, a command, the session's end): no timer sends what is left lying
 *   dbm_redis_sendv(s, values, n)                 the same of words as they are, any number
 *   dbm_redis_receive(s, &row)                    the next reply: its first row, valid until the session's next call, or NULL where it has none;
 *                                                 &row may be NULL. DBM_DONE: all replies were received
 *   dbm_redis_receive_rows(s, &rows)              the next reply with all its rows, as of dbm_redis_query()
 * An error reply is the failure of the call that receives it, with the place of the one that sent it; it sticks, and dbm_clear_error(s) goes on with the
 * next reply. Other commands may come in between and keep the order. Replies that are not received yet are put aside, within row_buffer: what would be
 * more is E_LIMIT, and not sent. What is never received is read and dropped at the end of the session, or by dbm_commit(s); its first failure is theirs.
 * A connection that is lost with commands unanswered that may have changed something is E_IN_DOUBT. */
#define dbm_redis_send(on, ...) DBM__REDIS(on, DBM__REDIS_FORMAT | DBM__REDIS_WANT_LATER, NULL, __VA_ARGS__)
#define dbm_redis_sendv(on, values, count) dbm__redis_callv(DBM__ON(on), DBM__SITE, DBM__REDIS_WANT_LATER, NULL, NULL, values, count)
#define dbm_redis_receive(on, row) dbm__redis_callv(DBM__ON(on), DBM__SITE, DBM__REDIS_WANT_NEXT, dbm__redis_to_row(row), NULL, NULL, 0)
#define dbm_redis_receive_rows(on, rows) dbm__redis_callv(DBM__ON(on), DBM__SITE, DBM__REDIS_WANT_NEXT_ROWS, dbm__redis_to_rows(rows), NULL, NULL, 0)

/* Keys.
 *   dbm_redis_get(s, &row, key)                   the value as a row of one column, with its lifetime: on a session until the session's next
 *                                                 statement, on a database until dbm_row_end(row), which must come. E_NOT_FOUND (does not stick)
 *   dbm_redis_copy(s, buf, capacity, &size, key)  the value in the caller's own buffer, with a NUL behind it; size may be NULL. E_NOT_FOUND; E_RANGE when it
 *                                                 does not fit: then nothing is copied and *size says how long it is
 *   dbm_redis_set(s, key, value, seconds)         seconds to live; 0: for ever; less is E_RANGE
 *   dbm_redis_del(s, &count, key, ...)            how many there were; &count may be NULL here and wherever it is an int64_t
 *   dbm_redis_exists(s, &count, key, ...)         how many there are
 *   dbm_redis_expire(s, key, seconds)             E_NOT_FOUND when there is no such key
 *   dbm_redis_ttl(s, &seconds, key)               -1: it lives for ever; E_NOT_FOUND
 *   dbm_redis_incr(s, &now, key, by), dbm_redis_decr(s, &now, key, by)
 *   dbm_redis_mget(s, &rows, key, ...)            a row per key, NULL where there is none
 *   dbm_redis_mset(s, key, value, key, value, ...) */
#define dbm_redis_get(on, row, key) DBM__REDIS(on, DBM__REDIS_WANT_VALUE | DBM__REDIS_READS, dbm__redis_to_row(row), "GET", key)
#if defined(__cplusplus)
inline dbm_status dbm__redis_copy_cpp(dbm_session *on, const char *site, dbm__redis_buffer b, const dbm_value &key) {
    return dbm__redis_callv(on, site, DBM__REDIS_WANT_COPY | DBM__REDIS_READS, &b, "GET", &key, 1);
}
#  define dbm_redis_copy(on, buffer, capacity, size, key) dbm__redis_copy_cpp(DBM__ON(on), DBM__SITE, dbm__redis_to_buffer(buffer, capacity, size), DBM__BOX(key))
#else
#  define dbm_redis_copy(on, buffer, room, needed, key) \
    DBM__REDIS(on, DBM__REDIS_WANT_COPY | DBM__REDIS_READS, (&(dbm__redis_buffer){ (buffer), (room), (needed) }), "GET", key)
#endif
#define dbm_redis_set(on, key, value, seconds) DBM__REDIS(on, DBM__REDIS_WANT_NOTHING | DBM__REDIS_EXPIRES, NULL, "SET", key, value, seconds)
#define dbm_redis_del(on, count, ...) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(count), "DEL", __VA_ARGS__)
#define dbm_redis_exists(on, count, ...) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER | DBM__REDIS_READS, dbm__redis_to_int(count), "EXISTS", __VA_ARGS__)
#define dbm_redis_expire(on, key, seconds) DBM__REDIS(on, DBM__REDIS_WANT_FOUND, NULL, "EXPIRE", key, seconds)
#define dbm_redis_ttl(on, seconds, key) DBM__REDIS(on, DBM__REDIS_WANT_TTL | DBM__REDIS_READS, dbm__redis_to_int(seconds), "TTL", key)
#define dbm_redis_incr(on, now, key, by) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(now), "INCRBY", key, by)
#define dbm_redis_decr(on, now, key, by) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(now), "DECRBY", key, by)
#define dbm_redis_mget(on, rows, ...) DBM__REDIS(on, DBM__REDIS_WANT_ROWS | DBM__REDIS_READS, dbm__redis_to_rows(rows), "MGET", __VA_ARGS__)
#define dbm_redis_mset(on, ...) DBM__REDIS(on, DBM__REDIS_WANT_NOTHING, NULL, "MSET", __VA_ARGS__)

/* Hashes, lists, sets, sorted sets.
 *   dbm_redis_hget(s, &row, key, field)           as dbm_redis_get()
 *   dbm_redis_hset(s, &added, key, field, value, ...)
 *   dbm_redis_hgetall(s, &rows, key)              rows of (field, value)
 *   dbm_redis_lpush(s, &length, key, value, ...), dbm_redis_rpush(s, &length, key, value, ...)
 *   dbm_redis_lrange(s, &rows, key, start, stop)  0, -1: all
 *   dbm_redis_sadd(s, &added, key, member, ...)
 *   dbm_redis_smembers(s, &rows, key)
 *   dbm_redis_zadd(s, &added, key, score, member, ...)
 *   dbm_redis_zrange(s, &rows, key, start, stop)  rows of (member, score), the lowest score first */
#define dbm_redis_hget(on, row, key, field) DBM__REDIS(on, DBM__REDIS_WANT_VALUE | DBM__REDIS_READS, dbm__redis_to_row(row), "HGET", key, field)
#define dbm_redis_hset(on, added, ...) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(added), "HSET", __VA_ARGS__)
#define dbm_redis_hgetall(on, rows, key) DBM__REDIS(on, DBM__REDIS_WANT_ROWS | DBM__REDIS_READS, dbm__redis_to_rows(rows), "HGETALL", key)
#define dbm_redis_lpush(on, length, ...) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(length), "LPUSH", __VA_ARGS__)
#define dbm_redis_rpush(on, length, ...) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(length), "RPUSH", __VA_ARGS__)
#define dbm_redis_lrange(on, rows, key, start, stop) \
    DBM__REDIS(on, DBM__REDIS_WANT_ROWS | DBM__REDIS_READS, dbm__redis_to_rows(rows), "LRANGE", key, start, stop)
#define dbm_redis_sadd(on, added, ...) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(added), "SADD", __VA_ARGS__)
#define dbm_redis_smembers(on, rows, key) DBM__REDIS(on, DBM__REDIS_WANT_ROWS | DBM__REDIS_READS, dbm__redis_to_rows(rows), "SMEMBERS", key)
#define dbm_redis_zadd(on, added, ...) DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(added), "ZADD", __VA_ARGS__)
#define dbm_redis_zrange(on, rows, key, start, stop) \
    DBM__REDIS(on, DBM__REDIS_WANT_ROWS | DBM__REDIS_READS, dbm__redis_to_rows(rows), "ZRANGE", key, start, stop, dbm_text("WITHSCORES"))

/* Scripts and messages.
 *   dbm_redis_eval(s, &rows, script, keys, ...)   `keys` is how many of the values behind it are keys; counts as a command that writes
 *   dbm_redis_publish(s, &receivers, channel, message) */
#define dbm_redis_eval(on, rows, ...) DBM__REDIS(on, DBM__REDIS_WANT_ROWS, dbm__redis_to_rows(rows), "EVAL", __VA_ARGS__)
#define dbm_redis_publish(on, receivers, channel, message) \
    DBM__REDIS(on, DBM__REDIS_WANT_INTEGER, dbm__redis_to_int(receivers), "PUBLISH", channel, message)

/* Transactions, within one session: what is watched, then MULTI, commands that are only put in a queue (their calls answer DBM_OK, numbers are 0,
 * rows are none), and EXEC, which runs them all or none. A session that ends before its EXEC discards them.
 *   dbm_redis_watch(s, key, ...)
 *   dbm_redis_multi(s)
 *   dbm_redis_exec(s, &rows)                      a row per command; rows may be NULL. E_SERIALIZATION, retryable, when a watched key was changed meanwhile: so
 *                                                 DBM_RETRY runs its body again; E_ROLLED_BACK when the server had refused one of them (EXECABORT); E_SQL when
 *                                                 one of them failed as it ran: the others are done, and Redis undoes none
 *   dbm_redis_discard(s)                          drops the queue, and what is watched
 * A connection that is lost before EXEC is E_LOST, retryable; during it E_IN_DOUBT, if something was to be written. */
#define dbm_redis_watch(on, ...) DBM__REDIS(on, DBM__REDIS_WANT_NOTHING | DBM__REDIS_READS, NULL, "WATCH", __VA_ARGS__)
#define dbm_redis_multi(on) DBM__REDIS(on, DBM__REDIS_WANT_NOTHING | DBM__REDIS_READS, NULL, "MULTI")
#define dbm_redis_exec(on, rows) DBM__REDIS(on, DBM__REDIS_WANT_ROWS | DBM__REDIS_READS, dbm__redis_to_rows(rows), "EXEC")
#define dbm_redis_discard(on) DBM__REDIS(on, DBM__REDIS_WANT_NOTHING | DBM__REDIS_READS, NULL, "DISCARD")
