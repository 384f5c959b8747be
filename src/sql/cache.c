/* The prepared statements of one connection: found by their text, kept by their age, dropped when they are too many.
 * May call: api/, base/, adapter/, sql.h, lexer.h.
 * Must not know: sessions, results, what a statement is for. */
#include "sql.h"

/* An entry is in the chain of its hash and in the list by age, or (`cached` false) only with whoever took it.
 *
 *     chains[hash] -> entry -> entry            text and `named` alike: two entries when the first is `single` and in use
 *     newest -> older -> older -> oldest        `count` of them, at most `limit` unless so many are in use
 *     hints[address of the text] -> entry       the last one found for a text at this address
 *
 * A connection belongs to one thread at a time, so there is no lock. Only the three counters are read by others. */

static void dbm__cache_count(dbm__word *counter) { dbm__store(counter, dbm__load(counter) + 1); }

static dbm__entry **dbm__cache_chain(dbm__cache *k, uint32_t hash) { return &k->chains[hash & (k->chain_count - 1)]; }

/* ---- the list by age ----------------------------------------------------------------------------------------------- */

DBM__INLINE void dbm__cache_unlink(dbm__cache *k, dbm__entry *e) {
    if (e->newer) e->newer->older = e->older;
    else k->newest = e->older;
    if (e->older) e->older->newer = e->newer;
    else k->oldest = e->newer;
}

DBM__INLINE void dbm__cache_link(dbm__cache *k, dbm__entry *e) {
    e->newer = NULL;
    e->older = k->newest;
    if (k->newest) k->newest->newer = e;
    else k->oldest = e;
    k->newest = e;
}

/* ---- dropping ------------------------------------------------------------------------------------------------------ */

/* Frees an entry that is in no list. What the caller has failed at, or not, stays this thread's last failure. */
static DBM__NOINLINE void dbm__cache_drop(dbm_connection *c, dbm__entry *e) {
    if (e->prepared.data && c->open) {
        dbm_error_info before = dbm__self()->last;
        dbm_op op;
        dbm__op_init(&op, DBM_OP_UNPREPARE, dbm__deadline(c->db->host, 1000));
        op.sql = e->prepared.sql;
        op.sql_size = e->prepared.sql_size;
        op.prepared = &e->prepared;
        (void)dbm__op_run(c, &op);
        dbm__self()->last = before;
    }
    dbm__free(c->db->host, e);
}

static void dbm__cache_remove(dbm_connection *c, dbm__entry *e) {
    dbm__cache *k = c->cache;
    dbm__entry **at = dbm__cache_chain(k, e->hash);
    int i;
    while (*at != e) at = &(*at)->next_hash;
    *at = e->next_hash;
    dbm__cache_unlink(k, e);
    k->count--;
    for (i = 0; i < DBM__HINTS; i++) if (k->hints[i] == e) k->hints[i] = NULL;
    dbm__cache_drop(c, e);
}

/* Down to the limit, the oldest first; entries in use stay. */
static DBM__NOINLINE void dbm__cache_evict(dbm_connection *c) {
    dbm__cache *k = c->cache;
    dbm__entry *e, *newer;
    for (e = k->oldest; e && k->count > k->limit; e = newer) {
        newer = e->newer;
        if (e->uses || e->sent) continue;
        dbm__cache_remove(c, e);
        dbm__cache_count(&c->cache_evictions);
    }
}

/* Eight bytes at a time; multiplied and folded, so that the order of the words counts. Not against an attacker: a program's
 * statements are its own, and a long chain costs time only. */
static uint32_t dbm__cache_hash(const char *text, size_t size) {
    uint64_t h = (uint64_t)size * UINT64_C(0x9E3779B97F4A7C15), w;
    for (; size >= 8; size -= 8, text += 8) {
        memcpy(&w, text, 8);
        h = (h ^ w) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    if (size) {
        w = 0;
        memcpy(&w, text, size);
        h = (h ^ w) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    return (uint32_t)(h ^ h >> 29);
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__cache_make(dbm_connection *c, int limit) {
    size_t chains = 4;
    dbm__cache *k;
    if (limit < 0) limit = 0;
    while (chains < (size_t)limit / 4 && chains < 1024) chains *= 2; /* most texts are found by their address */
    k = (dbm__cache *)dbm__alloc_zero(c->db->host, sizeof *k + chains * sizeof k->chains[0]);
    if (!k) return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
    k->chains = (dbm__entry **)(void *)(k + 1);
    k->chain_count = chains;
    k->limit = limit;
    c->cache = k;
    return DBM_OK;
}

DBM__FN void dbm__cache_free(dbm_connection *c) {
    dbm__cache *k = c->cache;
    dbm__entry *e, *older;
    if (!k) return;
    for (e = k->newest; e; e = older) {
        older = e->older;
        dbm__cache_drop(c, e);
    }
    dbm__free(c->db->host, k);
    c->cache = NULL;
}

/* One block: the entry, the places, then the texts. */
static dbm__entry *dbm__cache_entry(dbm__host *host, const char *sql, size_t size, const dbm__parsed *parsed) {
    size_t places = parsed->places && parsed->parameters > 0 ? (size_t)parsed->parameters : 0, names = 0, need, i;
    bool same = parsed->size == size && memcmp(parsed->sql, sql, size) == 0; /* nothing was rewritten */
    dbm__entry *e;
    char *at;
    for (i = 0; i < places; i++) names += parsed->places[i].size + 1;
    if (size > SIZE_MAX / 8 || parsed->size > SIZE_MAX / 8 || names > SIZE_MAX / 8) return NULL;
    if (places > SIZE_MAX / 8 / sizeof(dbm__place)) return NULL;
    need = sizeof *e + places * sizeof(dbm__place) + size + 1 + (same ? 0 : parsed->size + 1) + names;
    e = (dbm__entry *)dbm__alloc(host, need);
    if (!e) return NULL;
    memset(e, 0, sizeof *e);
    if (places) e->places = (dbm__place *)(void *)(e + 1);
    at = (char *)(e + 1) + places * sizeof(dbm__place);
    e->text = at;
    e->text_size = size;
    memcpy(at, sql, size);
    at[size] = 0;
    at += size + 1;
    e->prepared.sql = e->text;
    e->prepared.sql_size = parsed->size;
    if (!same) {
        memcpy(at, parsed->sql, parsed->size);
        at[parsed->size] = 0;
        e->prepared.sql = at;
        at += parsed->size + 1;
    }
    for (i = 0; i < places; i++) {
        e->places[i].name = at;
        e->places[i].size = parsed->places[i].size;
        memcpy(at, parsed->places[i].name, parsed->places[i].size);
        at += parsed->places[i].size;
        *at++ = 0;
    }
    e->prepared.parameters = parsed->parameters;
    e->prepared.writes = parsed->verb != DBM__VERB_READ;
    /* What the lexer does not know may have rows; the rest of the words never do without RETURNING. */
    e->prepared.returns_rows = parsed->verb == DBM__VERB_READ || parsed->verb == DBM__VERB_OTHER || parsed->returning;
    e->random = parsed->random;
    e->verb = parsed->verb;
    return e;
}

DBM__FN void dbm__cache_prepare(dbm__entry *e, dbm_op *op, int64_t deadline_us) {
    dbm__op_init(op, DBM_OP_PREPARE, deadline_us);
    op->sql = e->prepared.sql;
    op->sql_size = e->prepared.sql_size;
    op->prepared = &e->prepared;
}

static bool dbm__cache_keeps(const dbm__cache *k, size_t size) { return k->limit > 0 && size <= (size_t)DBM__CACHE_TEXT_MAX; }

DBM__FN dbm_status dbm__cache_prepared(dbm_connection *c, dbm__entry *e, dbm_status st, unsigned hint, const char *site) {
    dbm_error_info *last = &dbm__self()->last;
    dbm__cache *k = c->cache;
    if (st != DBM_OK && st != DBM_E_UNSUPPORTED) { /* with that one it is sent as text each time */
        if (!last->site[0]) dbm__copy_cut(last->site, sizeof last->site, site);
        dbm__cache_drop(c, e);
        return st;
    }
    e->plain = e->quick = -2;
    if (!e->named && e->prepared.data) {
        if (!e->prepared.writes && e->verb == DBM__VERB_READ) e->plain = e->prepared.parameters;
        if (e->prepared.writes && !e->prepared.returns_rows && e->verb == DBM__VERB_WRITE) e->quick = e->prepared.parameters;
    }
    e->uses = 1;
    if (dbm__cache_keeps(k, e->text_size)) {
        dbm__entry **chain = dbm__cache_chain(k, e->hash);
        e->cached = true;
        e->next_hash = *chain;
        *chain = e;
        dbm__cache_link(k, e);
        k->hints[hint] = e;
        if (++k->count > k->limit) dbm__cache_evict(c);
    }
    return DBM_OK;
}

/* A text that is not in the cache, or only in entries that can't serve twice at once. */
static DBM__NOINLINE dbm_status dbm__cache_miss(dbm_connection *c, const char *sql, size_t size, uint32_t hash, bool named, const char *site,
                                                dbm__entry **out) {
    const dbm_adapter *a = c->db->adapter;
    dbm__host *host = c->db->host;
    dbm__entry *e;
    dbm__parsed parsed;
    dbm_status st = dbm__sql_parse(host, sql, size, a->placeholders, a->lexer, named, c->db->name, site, &parsed);
    dbm__cache_count(&c->cache_misses);
    if (st != DBM_OK) return st;
    if (parsed.several && a->placeholders != DBM_PH_NATIVE) { /* in another language a semicolon need not end anything */
        dbm__parsed_free(host, &parsed);
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, c->db->name, site, "one statement at a time: use dbm_script() for several");
    }
    e = dbm__cache_entry(host, sql, size, &parsed);
    dbm__parsed_free(host, &parsed);
    if (!e) return dbm__no_memory(DBM_STAGE_STATEMENT, c->db->name, site);
    e->named = named;
    e->hash = hash;
    *out = e;
    return DBM_OK;
}

/* ---- taking and giving --------------------------------------------------------------------------------------------- */

DBM__FN DBM__NOINLINE void dbm__cache_touch(dbm__cache *k, dbm__entry *e) {
    dbm__cache_unlink(k, e);
    dbm__cache_link(k, e);
}

DBM__INLINE void dbm__cache_use(dbm_connection *c, dbm__cache *k, dbm__entry *e) {
    if (k->newest != e) dbm__cache_touch(k, e);
    e->uses++;
    dbm__cache_count(&c->cache_hits);
}

DBM__FN DBM__NOINLINE dbm_status dbm__cache_search(dbm_connection *c, const char *sql, unsigned hint, bool named, const char *site, dbm__entry **out) {
    dbm__cache *k = c->cache;
    dbm__entry *e;
    uint32_t hash = 0;
    size_t size;
    *out = NULL;
    if (!sql) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, c->db->name, site, "the statement is NULL");
    size = strlen(sql);
    if (dbm__cache_keeps(k, size)) {
        hash = dbm__cache_hash(sql, size);
        for (e = *dbm__cache_chain(k, hash); e; e = e->next_hash) {
            if (e->hash != hash || e->text_size != size || memcmp(e->text, sql, size) != 0) continue;
            if (!dbm__cache_serves(e, named)) continue;
            k->hints[hint] = e;
            dbm__cache_use(c, k, e);
            *out = e;
            return DBM_OK;
        }
    }
    return dbm__cache_miss(c, sql, size, hash, named, site, out);
}

static DBM__NOINLINE dbm_status dbm__cache_find(dbm_connection *c, const char *sql, bool named, int64_t deadline_us, const char *site, dbm__entry **out) {
    unsigned hint = dbm__cache_hint(sql);
    dbm__entry *e;
    dbm_status st = dbm__cache_search(c, sql, hint, named, site, &e);
    *out = NULL;
    if (st == DBM_OK && e->uses == 0) {
        dbm_op op;
        dbm__cache_prepare(e, &op, deadline_us);
        st = dbm__cache_prepared(c, e, dbm__op_run(c, &op), hint, site);
    }
    if (st == DBM_OK) *out = e;
    return st;
}

DBM__FN dbm_status dbm__cache_take(dbm_connection *c, const char *sql, bool named, int64_t deadline_us, const char *site, dbm__entry **out) {
    dbm__cache *k = c->cache;
    dbm__entry *e = k->hints[dbm__cache_hint(sql)];
    if (DBM__LIKELY(e && sql && dbm__cache_serves(e, named) && strcmp(e->text, sql) == 0)) {
        dbm__cache_use(c, k, e);
        *out = e;
        return DBM_OK;
    }
    return dbm__cache_find(c, sql, named, deadline_us, site, out);
}

DBM__FN DBM__NOINLINE void dbm__cache_unused(dbm_connection *c, dbm__entry *e) {
    if (e->uses || e->sent) return;
    if (DBM__UNLIKELY(!e->cached)) dbm__cache_drop(c, e);
    else if (DBM__UNLIKELY(c->cache->count > c->cache->limit)) dbm__cache_evict(c);
}

DBM__FN void dbm__cache_answered(dbm_connection *c, dbm__entry *e) {
    DBM_ASSERT(e->sent > 0);
    --e->sent;
    dbm__cache_unused(c, e);
}
