/* Statements of a connection and values of a row: the cache of prepared statements, the decoding of variadic values, conversions.
 * May call: api/, base/, adapter/.
 * Must not know: sessions and pools. */
#ifndef DBM__SQL_H
#define DBM__SQL_H
#include "../adapter/adapter.h"
#include "lexer.h"

#define DBM__MAX_VALUES 64  /* of one call; the macros pass 32 at most */

/* One cached statement, in one block with its texts. Entries hang in a hash chain by text and in a list by age. */
typedef struct dbm__entry {
    dbm_prepared prepared;           /* what the adapter sees; first, so that a pointer to it is a pointer to the entry */
    struct dbm__entry *next_hash, *newer, *older;
    char *text;                      /* as the user wrote it */
    size_t text_size;
    uint32_t hash;
    int uses;                        /* open results and handles; an entry in use is neither evicted nor shared if it is `single` */
    int sent;                        /* in the pipeline, unanswered: not evicted, but shared */
    bool named;                      /* parsed for dbm_named() values */
    bool cached;                     /* in the cache, else to be dropped after its use */
    bool random;                     /* see dbm__parsed */
    bool plain;                      /* prepared, reads, and by position: the short way in session/ may run it, */
    bool quick;                      /* or writes without giving rows: the one for those */
    dbm__verb verb;
    dbm__place *places;              /* named: the name of each placeholder */
} dbm__entry;

enum { DBM__HINT_BITS = 6, DBM__HINTS = 1 << DBM__HINT_BITS };
enum { DBM__CACHE_TEXT_MAX = 65536 }; /* longer texts are bulks written out: they are not kept */
typedef struct dbm__cache {
    dbm__entry **chains;             /* behind this struct, in the same block */
    size_t chain_count;              /* a power of two */
    dbm__entry *newest, *oldest;
    int count, limit;
    dbm__entry *hints[DBM__HINTS];   /* by the address of the user's text, where it was found last. A guess: the texts decide */
} dbm__cache;

/* limit: prepared statements kept; 0 or less: none, each is dropped after its use. */
DBM__FN dbm_status dbm__cache_make(dbm_connection *c, int limit);
/* Unprepares, if the connection is open, and frees all entries that are cached, in use or not. NULL caches are allowed. */
DBM__FN void dbm__cache_free(dbm_connection *c);
/* The entry of this text, prepared (as far as the adapter prepares), its `uses` raised by one.
 * Errors of parsing and preparing are this thread's last failure; the cache is then as it was. */
DBM__FN dbm_status dbm__cache_take(dbm_connection *c, const char *sql, bool named, int64_t deadline_us, const char *site,
                                   dbm__entry **out);
/* The same in pieces, for who can't wait in them: an entry that was found and taken, or with `uses` 0 a new one, which must be prepared by the operation
 * that dbm__cache_prepare() makes; then dbm__cache_prepared() takes and keeps it, or drops it and returns why. hint: of the user's text. */
DBM__FN dbm_status dbm__cache_search(dbm_connection *c, const char *sql, unsigned hint, bool named, const char *site, dbm__entry **out);
DBM__FN void dbm__cache_prepare(dbm__entry *e, dbm_op *op, int64_t deadline_us);
DBM__FN dbm_status dbm__cache_prepared(dbm_connection *c, dbm__entry *e, dbm_status st, unsigned hint, const char *site);
/* The low half of the address times the golden ratio; the highest bits of that depend on all of it. */
DBM__INLINE unsigned dbm__cache_hint(const char *sql) { return (uint32_t)(uintptr_t)sql * 2654435769u >> (32 - DBM__HINT_BITS); }

/* What is known of one address is known of another, which has the same text now. */
DBM__INLINE void dbm__cache_hint_copy(dbm_connection *c, unsigned from, unsigned to) { c->cache->hints[to] = c->cache->hints[from]; }

DBM__INLINE bool dbm__cache_serves(const dbm__entry *e, bool named) {
    return e->named == named && !(e->uses > 0 && e->prepared.single);
}
DBM__FN void dbm__cache_touch(dbm__cache *k, dbm__entry *e); /* to the newest end */
/* The hit by address alone, for the hot path: an entry that is for positional values, in use or not, or NULL. */
DBM__INLINE dbm__entry *dbm__cache_known(const dbm_connection *c, const char *sql) {
    dbm__entry *e = c->cache->hints[dbm__cache_hint(sql)];
    return DBM__UNLIKELY(e == NULL || e->named || strcmp(e->text, sql) != 0) ? NULL : e;
}
/* Its use, which the caller has counted. */
DBM__INLINE void dbm__cache_hit(dbm_connection *c, dbm__entry *e) {
    if (DBM__UNLIKELY(c->cache->newest != e)) dbm__cache_touch(c->cache, e);
    dbm__store(&c->cache_hits, dbm__load(&c->cache_hits) + 1u);
}
DBM__FN void dbm__cache_unused(dbm_connection *c, dbm__entry *e);
/* Ends a use. Never changes this thread's last failure. */
DBM__INLINE void dbm__cache_give(dbm_connection *c, dbm__entry *e) {
    DBM_ASSERT(e->uses > 0);
    if (--e->uses == 0 && DBM__UNLIKELY(!e->cached || c->cache->count > c->cache->limit)) dbm__cache_unused(c, e);
}
DBM__FN void dbm__cache_answered(dbm_connection *c, dbm__entry *e); /* the same for one of `sent` */

/* Variadic values by their codes, into `out` (room for DBM__MAX_VALUES). *named tells whether dbm_named() values are among them.
 * Sizes of texts are filled in. Errors: E_LIMIT, E_MISUSE (a pointer that is no text; its type is then DBM_TYPE_INVALID). */
DBM__FN dbm_status dbm__values_read(dbm_value *out, int *count, bool *named, const char *codes, va_list ap);
/* Integers alone, or (`rest`) texts and doubles too, in a few instructions; -1 when there is anything else, or more than `room`. */
DBM__INLINE int dbm__values_short(dbm_value *out, int room, bool rest, const char *codes, va_list *ap) {
    int n = 0;
    for (; *codes != 0; codes++, n++) {
        if (DBM__UNLIKELY(n == room)) return -1;
        out[n].name = NULL;
        out[n].type = DBM_TYPE_INT;
        if (*codes == 'l') out[n].as.integer = va_arg(*ap, long);
        else if (*codes == 'i') out[n].as.integer = va_arg(*ap, int);
        else if (*codes == 'q') out[n].as.integer = va_arg(*ap, long long);
        else if (!rest) return -1;
        else if (*codes == 'd') out[n].type = DBM_TYPE_DOUBLE, out[n].as.real = va_arg(*ap, double);
        else if (*codes != 's') return -1;
        else if ((out[n].as.text.data = va_arg(*ap, const char *)) == NULL) out[n].type = DBM_TYPE_NULL;
        else out[n].type = DBM_TYPE_TEXT, out[n].as.text.size = strlen(out[n].as.text.data);
    }
    return n;
}
/* The same for values from an array; names beside values without one are refused too. */
DBM__FN dbm_status dbm__values_check(dbm_value *values, int count, const char *database, const char *site);
/* Values by name brought into the order of the placeholders: e->prepared.parameters of them in `out` (room for DBM__MAX_VALUES), which
 * may be more than `count`, for a name may stand in several places. Where parameters is -1, the statement being the backend's own,
 * they stay as they are: `count` of them, with their names. Errors: E_MISUSE, E_LIMIT. */
DBM__FN dbm_status dbm__values_order(const dbm__entry *e, const dbm_value *in, int count, dbm_value *out, const char *database,
                                     const char *site);

/* Conversions of one column's value. On failure (E_RANGE) the result is 0 or "", and *why says what was wrong, to be put behind the
 * column's name: "is NULL", "300 does not fit int8_t". Of a text that is no number it tells the size only: it may be a secret. Of the
 * limits, min is not positive and max not negative. */
typedef struct dbm__why { char text[160]; } dbm__why;
DBM__FN dbm_status dbm__to_int(const dbm_value *v, int64_t min, int64_t max, int64_t *out, dbm__why *why);
DBM__FN dbm_status dbm__to_uint(const dbm_value *v, uint64_t max, uint64_t *out, dbm__why *why);
DBM__FN dbm_status dbm__to_double(const dbm_value *v, double *out, dbm__why *why);
DBM__FN dbm_status dbm__to_bool(const dbm_value *v, bool *out, dbm__why *why);
DBM__FN dbm_status dbm__to_timestamp(const dbm_value *v, int64_t *out, dbm__why *why);
/* The element of an array, or field of a struct, at `at`, of the C type that `kind` and `size` say; its text is pointed to. Errors: E_RANGE, E_MISUSE,
 * without a report: dbm__element_wrong() has the words. */
DBM__FN dbm_status dbm__from_element(int kind, size_t size, const char *at, dbm_value *out);
DBM__FN const char *dbm__element_wrong(int kind);
DBM__FN int64_t dbm__element_int(const char *at, size_t size);
DBM__FN uint64_t dbm__element_uint(const char *at, size_t size);
/* Whether a value of this type is bytes that lie elsewhere. */
DBM__INLINE bool dbm__is_text(dbm_type type) { return type >= DBM_TYPE_TEXT && type != DBM_TYPE_TIMESTAMP && type < DBM_TYPE_INVALID; }
/* As text, in `block` when it has to be written out (room for 64 bytes). NULL is "". */
DBM__FN const char *dbm__to_text(const dbm_value *v, char *block, size_t capacity, size_t *size);
/* One value to one target of a scan or a field of a model: writes it in every case. `text_block` (64 bytes) is for DBM__TO_TEXT of a
 * value that is no text, and must live as long as the target; without it that is an error.
 * NULL: const char * gets NULL, char[N] "", dbm_bytes {NULL, 0}, optionals has = false; plain numbers and bools fail. */
DBM__FN dbm_status dbm__to_target(const dbm_value *v, const dbm_target *t, char *text_block, size_t text_capacity, dbm__why *why);
/* "2024-02-29 12:34:56.789012" of microseconds since 1970, without the fraction when it is 0; and back, from that, ISO 8601 with T, Z
 * and offsets, and date alone. Years 0001 to 9999; beyond them it writes "+010000-...", which is not read. */
typedef struct dbm__calendar { int64_t year; int month, day, hour, minute, second, us; } dbm__calendar;
DBM__FN void dbm__calendar_of(int64_t us, dbm__calendar *out);
DBM__FN int64_t dbm__days_of(int64_t year, int month, int day); /* since 1970-01-01 */
DBM__FN char *dbm__put_digits(char *at, char before, int64_t v, int digits); /* `before` (0: nothing), then so many digits; what is behind them */
DBM__FN void dbm__timestamp_write(int64_t us, char block[32]);
DBM__FN bool dbm__timestamp_read(const char *text, size_t size, int64_t *us);
/* Shortest text that reads back as the same double; "inf", "-inf", "nan". */
DBM__FN void dbm__double_write(double v, char block[40]);
DBM__FN bool dbm__double_read(const char *text, size_t size, double *out);
#endif /* DBM__SQL_H */
