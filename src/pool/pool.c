/* Checkout and return beyond the fast path: the queue, connects, failures, drain.
 * May call: api/, base/, adapter/, pool.h.
 * Must not know: sessions, SQL. */
#include "pool.h"

/* ---- making and freeing --------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__pool_make(dbm_database *db, size_t slot_size) {
    const dbm_config *config = &db->settings->config;
    dbm__pool *pool;
    int i, count = db->single ? 1 : config->pool.size + config->pool.max_overflow;
    if (count > DBM__POOL_LIMIT) count = DBM__POOL_LIMIT;
    pool = (dbm__pool *)dbm__alloc_zero(db->host, sizeof *pool);
    if (pool == NULL) return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    slot_size = (slot_size + 63u) & ~(size_t)63u;
    pool->slots = (char *)dbm__alloc_zero(db->host, slot_size * (size_t)count);
    if (pool->slots == NULL) {
        dbm__free(db->host, pool);
        return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    }
    if (!dbm__lock_init(&pool->lock) || !dbm__signal_init(&pool->drained)) {
        dbm__free(db->host, pool->slots);
        dbm__free(db->host, pool);
        return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    }
    pool->db = db;
    pool->slot_size = slot_size;
    pool->slot_count = count;
    pool->size = db->single ? 1 : config->pool.size;
    pool->words = (count + DBM__WORD_SLOTS - 1) / DBM__WORD_SLOTS;
    pool->fork = dbm__fork_epoch();
    pool->max_connecting = db->adapter->flags & DBM_ADAPTER_SHARED ? 1 : DBM__CONNECTS;
    pool->full_reset = config->pool.reset_on_return == DBM_RESET_FULL;
    pool->check = pool->full_reset || (db->adapter->flags & DBM_ADAPTER_SOCKET) != 0 || db->adapter->alive != NULL
        || (db->adapter->flags & DBM_ADAPTER_SHARED) != 0 || config->pool.pre_ping == DBM_PRE_PING_ALWAYS || (config->pool.recycle_ms > 0 && !(db->adapter->flags & DBM_ADAPTER_NO_RECYCLE));
    for (i = 0; i < count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        slot->pool = pool;
        slot->index = i;
        slot->word = i / DBM__WORD_SLOTS;
        slot->bit = (dbm__word)1 << (i % DBM__WORD_SLOTS);
        slot->connection.db = db;
        pool->empty[slot->word] |= slot->bit;
    }
    pool->shared.db = db;
    db->pool = pool;
    return DBM_OK;
}

DBM__FN void dbm__pool_free(dbm__pool *pool) {
    dbm__host *host;
    if (pool == NULL) return;
    host = pool->db->host;
    pool->db->pool = NULL;
    dbm__signal_free(&pool->drained);
    dbm__lock_free(&pool->lock);
    dbm__free(host, pool->slots);
    dbm__free(host, pool);
}

/* ---- connections ---------------------------------------------------------------------------------------------------- */

static bool dbm__pool_shared(const dbm__pool *pool) { return (pool->db->adapter->flags & DBM_ADAPTER_SHARED) != 0; }

/* Closes the shared connection when nobody uses it and it broke, or the pool closes. One at a time works on it: shared_busy. */
static void dbm__shared_close(dbm__pool *pool, dbm_disconnect how) {
    bool mine;
    dbm__lock_take(&pool->lock);
    mine = pool->shared.open && pool->shared_users == 0 && !pool->shared_busy && (dbm__load(&pool->shared_dead) != 0 || pool->state != DBM__POOL_OPEN);
    if (mine) pool->shared_busy = true;
    dbm__lock_give(&pool->lock);
    if (!mine) return;
    dbm__connection_close(&pool->shared, how);
    dbm__lock_take(&pool->lock);
    dbm__store(&pool->shared_dead, 0);
    pool->shared_busy = false;
    dbm__signal_all(&pool->drained);
    dbm__lock_give(&pool->lock);
}

/* One more user of the shared connection, which must still be opened when *connect says so. */
static dbm_status dbm__shared_join(dbm__pool *pool, int64_t limit_us, bool *connect) {
    dbm_status st = DBM_OK;
    *connect = false;
    dbm__lock_take(&pool->lock);
    while (pool->shared_busy && dbm__now(pool->db->host) < limit_us) dbm__wait_until(pool->db->host, &pool->drained, &pool->lock, limit_us);
    if (pool->shared_busy) {
        st = DBM_E_TIMEOUT;
    } else if (pool->shared.open && dbm__load(&pool->shared_dead) != 0) {
        st = DBM_E_LOST;
    } else {
        pool->shared_users++;
        *connect = pool->shared_busy = !pool->shared.open;
    }
    dbm__lock_give(&pool->lock);
    if (st == DBM_OK) return st;
    dbm__fail(st, DBM_STAGE_CONNECT, pool->db->name, NULL, "%s", st == DBM_E_LOST ? "the shared connection broke, and sessions that are out still hold it"
                                                                                : "the shared connection is still being opened or closed");
    dbm__self()->last.retryable = true;
    return st;
}

static void dbm__shared_joined(dbm__pool *pool, bool open) {
    dbm__lock_take(&pool->lock);
    pool->shared.open = open;
    if (!open) pool->shared_users--;
    pool->shared_busy = false;
    dbm__signal_all(&pool->drained);
    dbm__lock_give(&pool->lock);
}

/* Ends a slot's connection. No lock is held. */
static void dbm__slot_disconnect(dbm__slot *slot, dbm_disconnect how) {
    dbm__pool *pool = slot->pool;
    dbm_connection *c = &slot->connection;
    if (!c->open) return;
    if (pool->db->on_disconnect != NULL) {
        if (how == DBM_DISCONNECT_FORKED) c->open = false; /* nothing is said to the server about what is dropped */
        pool->db->on_disconnect(c);
        c->open = true;
    }
    if (dbm__pool_shared(pool)) {
        bool broken = c->broken;
        c->open = false;
        c->data = NULL;
        dbm__lock_take(&pool->lock);
        if (broken) dbm__store(&pool->shared_dead, 1);
        pool->shared_users--;
        dbm__lock_give(&pool->lock);
        dbm__shared_close(pool, how);
    } else {
        dbm__connection_close(c, how);
    }
    c->broken = false;
    c->readers_block = false;
    dbm__event(pool->db->host, DBM_EVENT_DISCONNECTED, DBM_LOG_DEBUG, pool->db->name, NULL, DBM_OK, 0, "a connection was closed");
}

/* After a connect of any kind: what a new connection needs, or what is said of one that failed. */
static dbm_status dbm__slot_connected(dbm__slot *slot, dbm_status st, int64_t began, int64_t limit) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    const dbm_config *config = &db->settings->config;
    dbm_connection *c = &slot->connection;
    if (st == DBM_OK) {
        c->open = true;
        c->connecting = true;
        if (db->on_connect != NULL) st = db->on_connect(c, limit);
        c->connecting = false;
        if (st != DBM_OK) {
            dbm_error_info kept = dbm__self()->last;
            c->broken = true;
            dbm__slot_disconnect(slot, DBM_DISCONNECT_BROKEN);
            dbm__self()->last = kept;
        }
    }
    if (st != DBM_OK) {
        dbm_error_info *e = &dbm__self()->last;
        char text[sizeof e->message];
        e->stage = DBM_STAGE_CONNECT;
        dbm__copy_cut(text, sizeof text, e->message);
        dbm__format(e->message, sizeof e->message, "database %q can't be opened: %s", db->name, text);
        dbm__redact(db->settings, e->message);
        dbm__event(db->host, DBM_EVENT_CONNECT_FAILED, DBM_LOG_INFO, db->name, NULL, st, dbm__now(db->host) - began, "%s", e->message);
        return st;
    }
    slot->expires_us = INT64_MAX;
    if (config->pool.recycle_ms > 0 && !db->single && !(db->adapter->flags & DBM_ADAPTER_NO_RECYCLE)) {
        int64_t life = (int64_t)config->pool.recycle_ms * 1000;
        slot->expires_us = began + life - life / 10 * (int64_t)(dbm__random(db->host) & 1023u) / 1024;
    }
    slot->used_us = dbm__now(db->host);
    slot->reset_full = false;
    dbm__event(db->host, DBM_EVENT_CONNECTED, DBM_LOG_DEBUG, db->name, NULL, DBM_OK, slot->used_us - began, "a connection was opened");
    return DBM_OK;
}

/* One physical connect. No lock is held; the slot is ours. */
DBM__FN dbm_status dbm__slot_connect(dbm__slot *slot, int64_t deadline_us) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    dbm_connection *c = &slot->connection, *physical = dbm__pool_shared(pool) ? &pool->shared : c;
    int64_t began = dbm__now(db->host), limit = began + (int64_t)db->settings->config.connect_timeout_ms * 1000;
    bool connect = true;
    dbm_status st = DBM_OK;
    dbm_op op;
    if (limit > deadline_us) limit = deadline_us;
    if (physical != c) st = dbm__shared_join(pool, limit, &connect);
    if (st == DBM_OK && connect) {
        dbm__op_init(&op, DBM_OP_CONNECT, limit);
        physical->broken = false;
        physical->connecting = true;
        st = dbm__op_run(physical, &op);
        physical->connecting = false;
        dbm__credentials_drop(physical);
        if (physical != c) dbm__shared_joined(pool, st == DBM_OK);
    }
    if (st == DBM_OK && physical != c) {
        c->data = physical->data;
        c->broken = false;
    }
    return dbm__slot_connected(slot, st, began, limit);
}

/* ---- opening ahead of need ---------------------------------------------------------------------------------------------- */

DBM__FN dbm__slot *dbm__pool_open_begin(dbm__pool *pool, int idle_wanted) {
    dbm__slot *slot = NULL;
    int64_t now = dbm__now(pool->db->host);
    int w, idle = 0;
    dbm__lock_take(&pool->lock);
    for (w = 0; w < pool->words; w++) {
        dbm__word v = dbm__load(&pool->idle[w]) & ~DBM__WAIT_BIT;
        while (v != 0) { v &= v - 1u; idle++; }
    }
    if (pool->state == DBM__POOL_OPEN && idle < idle_wanted && pool->open + pool->connecting < pool->size
        && pool->connecting < pool->max_connecting && now >= pool->retry_us) {
        slot = dbm__pool_pick_empty(pool);
    }
    if (slot != NULL) pool->connecting++;
    dbm__lock_give(&pool->lock);
    return slot;
}

DBM__FN void dbm__pool_open_end(dbm__slot *slot, dbm_status st) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    bool went_down = false, came_up = false, closing = false;
    dbm__lock_take(&pool->lock);
    pool->connecting--;
    if (st == DBM_OK) {
        came_up = dbm__pool_connected(pool);
        closing = pool->state != DBM__POOL_OPEN;
        if (!closing) dbm__pool_set_idle(slot);
    } else {
        dbm__slot_to_empty(slot);
        dbm__pool_connect_failed(pool, &dbm__self()->last, dbm__now(db->host), &went_down);
        dbm__pool_set_slow(pool);
    }
    dbm__pool_dispatch(pool, dbm__now(db->host));
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    dbm__lock_give(&pool->lock);
    if (closing) dbm__slot_retire(slot);
    if (went_down) dbm__event(db->host, DBM_EVENT_DOWN, DBM_LOG_WARNING, db->name, NULL, st, 0, "%s", dbm__self()->last.message);
    if (came_up) dbm__event(db->host, DBM_EVENT_UP, DBM_LOG_INFO, db->name, NULL, DBM_OK, 0, "database %q answers again", db->name);
}

DBM__FN bool dbm__opening_start(dbm__opening *o, dbm__pool *pool) {
    dbm_database *db = pool->db;
    dbm_connection *c;
    if (db->adapter->start == NULL || dbm__pool_shared(pool)) return false;
    o->slot = dbm__pool_open_begin(pool, 1);
    if (o->slot == NULL) return false;
    c = &o->slot->connection;
    o->began_us = dbm__now(db->host);
    dbm__op_init(&o->op, DBM_OP_CONNECT, o->began_us + (int64_t)db->settings->config.connect_timeout_ms * 1000);
    c->broken = c->reported = false;
    c->connecting = true;
    dbm__running_start(&o->running, c, &o->op);
    return true;
}

DBM__FN dbm_status dbm__opening_end(dbm__opening *o) {
    dbm_connection *c = &o->slot->connection;
    dbm_status st = dbm__op_end(c, &o->op, o->op.status);
    c->connecting = false;
    dbm__credentials_drop(c);
    st = dbm__slot_connected(o->slot, st, o->began_us, o->op.deadline_us);
    dbm__pool_open_end(o->slot, st);
    return st;
}

/* ---- the queue; the lock is held -------------------------------------------------------------------------------------- */

static void dbm__pool_wait_bits(dbm__pool *pool, bool on) {
    int w;
    for (w = 0; w < pool->words; w++) {
        dbm__word o = dbm__load(&pool->idle[w]);
        while (!dbm__cas(&pool->idle[w], &o, on ? o | DBM__WAIT_BIT : o & ~DBM__WAIT_BIT)) {}
    }
}

static dbm__slot *dbm__pool_pick_idle(dbm__pool *pool) {
    int w;
    for (w = 0; w < pool->words; w++) {
        dbm__word o = dbm__load(&pool->idle[w]);
        while ((o & ~DBM__WAIT_BIT) != 0) {
            int i = dbm__lowest_bit(o & ~DBM__WAIT_BIT);
            if (dbm__cas(&pool->idle[w], &o, o & ~((dbm__word)1 << i))) return dbm__pool_slot(pool, w * DBM__WORD_SLOTS + i);
        }
    }
    return NULL;
}

DBM__FN dbm__slot *dbm__pool_pick_empty(dbm__pool *pool) {
    int w;
    for (w = 0; w < pool->words; w++) {
        if (pool->empty[w] != 0) {
            int i = dbm__lowest_bit(pool->empty[w]);
            pool->empty[w] &= ~((dbm__word)1 << i);
            return dbm__pool_slot(pool, w * DBM__WORD_SLOTS + i);
        }
    }
    return NULL;
}

DBM__FN void dbm__pool_set_idle(dbm__slot *slot) {
    dbm__word *word = &slot->pool->idle[slot->word], o = dbm__load(word);
    while (!dbm__cas(word, &o, o | slot->bit)) {}
}

DBM__FN void dbm__pool_set_slow(dbm__pool *pool) {
    dbm__store(&pool->slow, pool->state != DBM__POOL_OPEN || pool->open > pool->size || pool->leaks_out != 0 ? 1 : 0);
}

static void dbm__waiter_unlink(dbm__pool *pool, dbm__waiter *w) {
    if (w->previous != NULL) w->previous->next = w->next; else pool->first = w->next;
    if (w->next != NULL) w->next->previous = w->previous; else pool->last = w->previous;
    w->next = w->previous = NULL;
    pool->waiting--;
}

/* By ticket: one that comes back after a failed connect keeps its place. */
static void dbm__waiter_link(dbm__pool *pool, dbm__waiter *w) {
    dbm__waiter *after = pool->last;
    while (after != NULL && after->ticket > w->ticket) after = after->previous;
    w->previous = after;
    w->next = after != NULL ? after->next : pool->first;
    if (w->next != NULL) w->next->previous = w; else pool->last = w;
    if (after != NULL) after->next = w; else pool->first = w;
    w->got = DBM__GOT_NOTHING;
    pool->waiting++;
}

static void dbm__waiter_get(dbm__pool *pool, dbm__waiter *w, int got, dbm__slot *slot, dbm_status status) {
    dbm__waiter_unlink(pool, w);
    w->got = got;
    w->slot = slot;
    w->status = status;
    w->wake(w->ud);
}

/* Serves the queue in order with what there is. The wait bits are set before the idle set is looked at for the last time, so a
 * connection that comes back meanwhile is either seen here or comes through the lock. */
DBM__FN void dbm__pool_dispatch(dbm__pool *pool, int64_t now) {
    dbm__slot *slot;
    if (pool->first != NULL) dbm__pool_wait_bits(pool, true);
    while (pool->first != NULL) {
        if (pool->state != DBM__POOL_OPEN) {
            dbm__waiter_get(pool, pool->first, DBM__GOT_FAILURE, NULL, DBM_E_CLOSED);
        } else if ((slot = dbm__pool_pick_idle(pool)) != NULL) {
            dbm__waiter_get(pool, pool->first, DBM__GOT_IDLE, slot, DBM_OK);
        } else if (pool->connecting < pool->max_connecting && now >= pool->retry_us && (slot = dbm__pool_pick_empty(pool)) != NULL) {
            pool->connecting++;
            dbm__waiter_get(pool, pool->first, DBM__GOT_EMPTY, slot, DBM_OK);
        } else {
            /* The first in line sleeps until the pause after a failed connect is over; it may have become the first just now. */
            if (now < pool->retry_us) pool->first->wake(pool->first->ud);
            return;
        }
    }
    dbm__pool_wait_bits(pool, pool->state != DBM__POOL_OPEN); /* a pool that closes lets nothing past the lock any more */
}

/* A failure that another try can't cure: everybody who waits hears of it at once. */
static bool dbm__connect_fatal(const dbm_error_info *e) {
    if (e->retryable) return false;
    return e->status == DBM_E_AUTH || e->status == DBM_E_TLS || e->status == DBM_E_CONFIG || e->status == DBM_E_UNKNOWN_NAME
        || e->status == DBM_E_UNSUPPORTED || e->status == DBM_E_MISUSE || e->status == DBM_E_NOT_COMPILED || e->status == DBM_E_SQL
        || strcmp(e->sqlstate, "3D000") == 0; /* there is no such database */
}

static void dbm__pool_fail_waiters(dbm__pool *pool, dbm_status status) {
    while (pool->first != NULL) dbm__waiter_get(pool, pool->first, DBM__GOT_FAILURE, NULL, status);
    dbm__pool_wait_bits(pool, pool->state != DBM__POOL_OPEN);
}

DBM__FN void dbm__slot_to_empty(dbm__slot *slot) { slot->pool->empty[slot->word] |= slot->bit; }

/* ---- checkout --------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__pool_holders(dbm__pool *pool, dbm__text *out) {
    int64_t now_ms = dbm__now(pool->db->host) / 1000;
    int i, shown = 0, more = 0;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        const char *site = (const char *)dbm__load(&slot->site);
        dbm__word since;
        if (site == NULL) continue;
        if (shown == 8) { more++; continue; }
        since = dbm__load(&slot->since_ms);
        dbm__putf(out, "%s%s", shown != 0 ? ", " : "", site);
        if (since != 0) dbm__putf(out, " for at least %m", (int64_t)((dbm__word)now_ms - since) * 1000 < 0 ? (int64_t)0 : (int64_t)((dbm__word)now_ms - since) * 1000);
        shown++;
    }
    if (more != 0) dbm__putf(out, " and %d more", more);
}

#if DBM__THREADS
/* Notes when slots were first seen out, so that "for at least" is true without a clock read at each checkout. */
static void dbm__pool_look(dbm__pool *pool, int64_t now) {
    int i;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        dbm__word none = 0;
        if (dbm__load(&slot->site) != 0 && dbm__load(&slot->since_ms) == 0) dbm__cas(&slot->since_ms, &none, (dbm__word)(now / 1000) | 1u);
    }
}
#endif

static dbm_status dbm__pool_timed_out(dbm__pool *pool, bool pools_own, int64_t waited, const char *site) {
    dbm_database *db = pool->db;
    char block[600], cause[512];
    dbm__text holders = dbm__text_in(block, sizeof block);
    dbm_stats_info s;
    dbm__pool_stats(pool, &s);
    dbm__pool_holders(pool, &holders);
    cause[0] = 0;
    dbm__lock_take(&pool->lock);
    if (pool->failures > 0) dbm__copy_cut(cause, sizeof cause, pool->cause.message);
    dbm__lock_give(&pool->lock);
    dbm__fail(pools_own ? DBM_E_POOL_TIMEOUT : DBM_E_TIMEOUT, DBM_STAGE_CHECKOUT, db->name, site,
              "database %q: no connection became free within %m (%s): %d of %d are out, %d connecting, %d others wait; held by %s%s%s",
              db->name, waited, pools_own ? "pool_timeout" : "the session's timeout_ms", s.out, pool->slot_count, s.connecting, s.waiting,
              holders.size != 0 ? block : "nobody by name", cause[0] != 0 ? "; the last connect failed: " : "", cause);
    dbm__self()->last.retryable = true;
    dbm__event(db->host, DBM_EVENT_POOL_TIMEOUT, DBM_LOG_INFO, db->name, site, DBM_E_POOL_TIMEOUT, waited, "%s", dbm__self()->last.message);
    return dbm__self()->last.status;
}

static dbm_status dbm__pool_failed(dbm__pool *pool, dbm_status status, const char *site) {
    if (status == DBM_E_CLOSED) {
        return dbm__fail(DBM_E_CLOSED, DBM_STAGE_CHECKOUT, pool->db->name, site, "database %q is closed (dbm_close_all was called)", pool->db->name);
    }
    dbm__lock_take(&pool->lock);
    dbm__self()->last = pool->cause;
    dbm__lock_give(&pool->lock);
    if (site != NULL) dbm__copy_cut(dbm__self()->last.site, sizeof dbm__self()->last.site, site);
    return dbm__self()->last.status;
}

static void dbm__wake_thread(void *ud) { dbm__signal_one((dbm__signal *)ud); }

/* After a connect, with the lock held. True when the database was down until now. */
DBM__FN bool dbm__pool_connected(dbm__pool *pool) {
    bool was_down = pool->down;
    pool->open++;
    pool->stats.connects++;
    pool->failures = 0;
    pool->retry_us = 0;
    pool->down = false;
    dbm__pool_set_slow(pool);
    return was_down;
}

/* After a failed connect, with the lock held: what becomes of the others. True when the caller may wait on. */
DBM__FN bool dbm__pool_connect_failed(dbm__pool *pool, const dbm_error_info *e, int64_t now, bool *went_down) {
    int shift = pool->failures < 4 ? pool->failures : 4;
    int64_t delay = (int64_t)50000 << shift;
    if (delay > 500000) delay = 500000;
    pool->failures++;
    pool->stats.connect_failures++;
    pool->cause = *e;
    pool->retry_us = now + delay;
    if (pool->open == 0 && !pool->down) *went_down = pool->down = true;
    if (dbm__connect_fatal(e) || (pool->open == 0 && pool->connecting == 0)) {
        dbm__pool_fail_waiters(pool, e->status);
        return false;
    }
    return true;
}

/* Looks at an idle connection before it is handed out. False: it is dead, or too old. No lock is held. */
static bool dbm__slot_alive(dbm__slot *slot, int64_t deadline_us) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    dbm_connection *c = &slot->connection;
    const dbm_config *config = &db->settings->config;
    int64_t now, idle;
    dbm_op op;
    if (dbm__load(&pool->shared_dead) != 0) return false;
    if (!pool->check) return true;
    now = dbm__now(db->host);
    if (now >= slot->expires_us) {
        dbm__lock_take(&pool->lock);
        pool->stats.recycled++;
        dbm__lock_give(&pool->lock);
        return false;
    }
    if (config->pool.pre_ping == DBM_PRE_PING_OFF) return true;
    idle = now - slot->used_us;
    if (config->pool.pre_ping != DBM_PRE_PING_ALWAYS) {
        dbm__word since = dbm__load(&pool->suspect_ms);
        bool suspect = since != 0 && (dbm__word)(slot->used_us / 1000) <= since;
        if (idle < 1000 && !suspect) return true;
        if (db->adapter->alive != NULL && db->adapter->alive(c) != DBM_OK) return false;
        if (!suspect && (idle < 1000000 || !(db->adapter->flags & DBM_ADAPTER_SOCKET))) return true;
    }
    dbm__op_init(&op, DBM_OP_PING, deadline_us < now + 5000000 ? deadline_us : now + 5000000);
    return dbm__op_run(c, &op) == DBM_OK;
}

/* The last session that outlived its manager frees everything. */
static void dbm__orphan_returned(dbm_database *db) {
    dbm__shared *shared = db->shared;
    if (dbm__add(&shared->orphans, (dbm__word)0 - 1u) == 1u) shared->free_all(shared);
}

/* Takes a slot that was just found dead out of service: its connection closed, its place empty. */
DBM__FN void dbm__slot_retire(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    bool broken = slot->connection.broken, orphaned;
    dbm__slot_disconnect(slot, broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
    dbm__lock_take(&pool->lock);
    pool->open--;
    pool->stats.disconnects++;
    if (broken) pool->stats.broken++;
    slot->reset_full = false;
    dbm__slot_to_empty(slot);
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, dbm__now(pool->db->host));
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    orphaned = pool->orphaned;
    dbm__lock_give(&pool->lock);
    if (orphaned) dbm__orphan_returned(pool->db);
}

DBM__FN DBM__NOINLINE dbm_status dbm__pool_take_slow(dbm_database *db, int64_t session_deadline_us, dbm__word holder, const char *site,
                                                     dbm__slot **out) {
    dbm__pool *pool = db->pool;
    dbm__slot *had = NULL;
    int word;
    dbm__waiter w;
    dbm__signal signal;
    dbm__blocked blocked;
    bool signal_made = false, in_graph = false, pools_own, went_down = false, came_up = false, timed_out = false;
    int64_t began, deadline, connect_deadline, now;
    dbm_status st = DBM_OK;
    *out = NULL;
    dbm__fork_look();
    if (DBM__UNLIKELY(dbm__load(&pool->fork) != dbm__fork_epoch())) dbm__pool_after_fork(pool);
    for (word = 0; word < pool->words && had == NULL; word++) had = dbm__pool_try(pool, word);
    began = now = dbm__now(db->host);
    deadline = began + (int64_t)db->settings->config.pool.timeout_ms * 1000;
    pools_own = deadline <= session_deadline_us;
    if (!pools_own) deadline = session_deadline_us;
    connect_deadline = db->settings->config.pool.timeout_ms < 0 ? session_deadline_us : deadline; /* not waiting for others is no reason not to connect */
    memset(&w, 0, sizeof w);
    w.slot = had;
    w.got = had != NULL ? DBM__GOT_IDLE : DBM__GOT_NOTHING;
    for (;;) {
        if (w.got == DBM__GOT_IDLE) {
            if (dbm__slot_alive(w.slot, connect_deadline)) break;
            dbm__slot_retire(w.slot);
            w.got = DBM__GOT_NOTHING;
            now = dbm__now(db->host);
        }
        if (w.got == DBM__GOT_EMPTY) {
            st = dbm__slot_connect(w.slot, connect_deadline);
            now = dbm__now(db->host);
            dbm__lock_take(&pool->lock);
            pool->connecting--;
            if (st == DBM_OK) {
                bool closing = pool->state != DBM__POOL_OPEN;
                came_up = dbm__pool_connected(pool);
                dbm__pool_dispatch(pool, now); /* a permit to connect is free again */
                dbm__lock_give(&pool->lock);
                if (!closing) break;
                dbm__slot_retire(w.slot);
                st = dbm__pool_failed(pool, DBM_E_CLOSED, site);
                goto done;
            }
            dbm__slot_to_empty(w.slot);
            if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
            if (!dbm__pool_connect_failed(pool, &dbm__self()->last, now, &went_down)) {
                dbm__pool_dispatch(pool, now);
                dbm__lock_give(&pool->lock);
                goto done; /* with this thread's own failure */
            }
            if (now >= deadline) { /* others have connections, so it waited for one of those too */
                pool->stats.timeouts++;
                dbm__pool_dispatch(pool, now);
                dbm__lock_give(&pool->lock);
                st = dbm__pool_timed_out(pool, pools_own, now - began, site);
                goto done;
            }
            dbm__lock_give(&pool->lock);
            st = DBM_OK;
            w.got = DBM__GOT_NOTHING;
        }
        /* In line, and serve the line. */
        dbm__lock_take(&pool->lock);
        if (pool->state != DBM__POOL_OPEN) {
            dbm__lock_give(&pool->lock);
            st = dbm__pool_failed(pool, DBM_E_CLOSED, site);
            goto done;
        }
        if (pool->open == 0 && pool->connecting == 0 && now < pool->retry_us && pool->first == NULL) {
            dbm__lock_give(&pool->lock); /* down, and just tried: say why at once */
            st = dbm__pool_failed(pool, DBM_E_CONNECT, site);
            goto done;
        }
        if (!signal_made) {
            if (!dbm__signal_init(&signal)) {
                dbm__lock_give(&pool->lock);
                st = dbm__no_memory(DBM_STAGE_CHECKOUT, db->name, site);
                goto done;
            }
            signal_made = true;
            w.wake = dbm__wake_thread;
            w.ud = &signal;
        }
        if (w.ticket == 0) w.ticket = ++pool->tickets;
        dbm__waiter_link(pool, &w);
        dbm__pool_dispatch(pool, now);
        if (w.got == DBM__GOT_NOTHING) {
#if !DBM__THREADS
            dbm__waiter_unlink(pool, &w);
            dbm__pool_dispatch(pool, now);
            dbm__lock_give(&pool->lock);
            if (pool->failures > 0) { /* there is room, but no connection could be made */
                st = dbm__pool_failed(pool, DBM_E_CONNECT, site);
                goto done;
            }
            {
                char block[400];
                dbm__text holders = dbm__text_in(block, sizeof block);
                dbm__pool_holders(pool, &holders);
                st = dbm__fail(DBM_E_WOULD_DEADLOCK, DBM_STAGE_CHECKOUT, db->name, site,
                               "database %q: all %d connections are out and there are no other threads that could give one back; held by %s",
                               db->name, pool->slot_count, block);
            }
            goto done;
#else
            pool->stats.waits++;
            dbm__pool_look(pool, now);
            if (!in_graph) {
                /* Left and entered around the walk: it must not run under the pool's lock. */
                dbm__lock_give(&pool->lock);
                st = dbm__graph_enter(db, &blocked, pool, NULL, site);
                in_graph = st == DBM_OK;
                dbm__lock_take(&pool->lock);
            }
            while (st == DBM_OK && w.got == DBM__GOT_NOTHING) {
                int64_t until = deadline;
                now = dbm__now(db->host);
                if (now >= deadline) {
                    timed_out = true;
                    break;
                }
                if (pool->first == &w && pool->retry_us > now && pool->retry_us < until) until = pool->retry_us;
                dbm__wait_until(db->host, &signal, &pool->lock, until);
                if (w.got == DBM__GOT_NOTHING && pool->first == &w) dbm__pool_dispatch(pool, dbm__now(db->host));
            }
            if (w.got == DBM__GOT_NOTHING) { /* timed out, or a deadlock: nobody can hand us anything from here on */
                dbm__waiter_unlink(pool, &w);
                if (timed_out) pool->stats.timeouts++;
                dbm__pool_dispatch(pool, now);
            } else if (st != DBM_OK) {
                st = DBM_OK; /* served while the walk ran: no deadlock after all */
            }
#endif
        }
        dbm__lock_give(&pool->lock);
        if (timed_out) {
            st = dbm__pool_timed_out(pool, pools_own, now - began, site);
            goto done;
        }
        if (st != DBM_OK) goto done;
        if (w.got == DBM__GOT_FAILURE) {
            st = dbm__pool_failed(pool, w.status, site);
            goto done;
        }
        now = dbm__now(db->host);
    }
    /* Out of the graph before it is a holder: one who waits for what it holds is a deadlock to whoever looks. */
    if (in_graph) dbm__graph_leave(db, &blocked);
    in_graph = false;
    dbm__store(&w.slot->uses, w.slot->uses + 1u);
    dbm__store(&w.slot->since_ms, (dbm__word)(now / 1000) | 1u);
    dbm__store(&w.slot->site, (dbm__word)site);
    dbm__store(&w.slot->holder, holder);
    *out = w.slot;
done:
    if (in_graph) dbm__graph_leave(db, &blocked);
    if (signal_made) dbm__signal_free(&signal);
    if (went_down) dbm__event(db->host, DBM_EVENT_DOWN, DBM_LOG_WARNING, db->name, site, st, 0, "%s", dbm__self()->last.message);
    if (came_up) dbm__event(db->host, DBM_EVENT_UP, DBM_LOG_INFO, db->name, site, DBM_OK, 0, "database %q answers again", db->name);
    if (st != DBM_OK && site != NULL && dbm__self()->last.site[0] == 0) dbm__copy_cut(dbm__self()->last.site, sizeof dbm__self()->last.site, site);
    return st;
}

DBM__FN dbm_status dbm__pool_reconnect(dbm__slot *slot, int64_t deadline_us) {
    dbm__pool *pool = slot->pool;
    dbm_status st;
    bool went_down = false, came_up = false, was_open = slot->connection.open; /* not, when an earlier reconnect failed */
    dbm__pool_suspect(pool);
    dbm__slot_disconnect(slot, DBM_DISCONNECT_BROKEN);
    dbm__lock_take(&pool->lock);
    if (was_open) {
        pool->open--;
        pool->stats.disconnects++;
        pool->stats.broken++;
    }
    pool->connecting++; /* over the permit for once: this session has its place already */
    dbm__lock_give(&pool->lock);
    st = dbm__slot_connect(slot, deadline_us);
    dbm__lock_take(&pool->lock);
    pool->connecting--;
    if (st == DBM_OK) {
        came_up = dbm__pool_connected(pool);
    } else {
        slot->connection.broken = true; /* the slot comes back without a connection */
        dbm__pool_connect_failed(pool, &dbm__self()->last, dbm__now(pool->db->host), &went_down);
        dbm__pool_set_slow(pool);
    }
    dbm__pool_dispatch(pool, dbm__now(pool->db->host));
    dbm__lock_give(&pool->lock);
    if (came_up) dbm__event(pool->db->host, DBM_EVENT_UP, DBM_LOG_INFO, pool->db->name, NULL, DBM_OK, 0, "database %q answers again", pool->db->name);
    if (went_down) dbm__event(pool->db->host, DBM_EVENT_DOWN, DBM_LOG_WARNING, pool->db->name, NULL, st, 0, "%s", dbm__self()->last.message);
    return st;
}

DBM__FN void dbm__pool_suspect(dbm__pool *pool) {
    dbm__store(&pool->suspect_ms, (dbm__word)(dbm__now(pool->db->host) / 1000));
}

/* ---- return ------------------------------------------------------------------------------------------------------------ */

/* The session left something on the connection that its next user must not find. */
static bool dbm__slot_unsettled(const dbm__slot *slot) {
    dbm_reset reset = slot->pool->db->settings->config.pool.reset_on_return;
    if (slot->connection.state == DBM_STATE_CHANGED) return reset != DBM_RESET_NONE && reset != DBM_RESET_COMMIT;
    return slot->connection.state == DBM_STATE_TRANSACTION;
}

DBM__FN DBM__NOINLINE void dbm__pool_give_slow(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    bool close = slot->connection.broken || !slot->connection.open, due = (slot->uses & (DBM__UPKEEP_EVERY - 1u)) == 0;
    bool leak_reported = false, keep = false, orphaned;
    dbm_error_info kept;
    if (dbm__load(&pool->slow) != 0) {
        dbm__lock_take(&pool->lock);
        leak_reported = slot->leak_reported;
        slot->leak_reported = false;
        if (leak_reported) pool->leaks_out--;
        dbm__lock_give(&pool->lock);
    }
    if (leak_reported) {
        dbm__event(db->host, DBM_EVENT_LEAK_RETURNED, DBM_LOG_INFO, db->name, NULL, DBM_OK, 0, "a session that was reported as leaked came back");
    }
    if (!close && (slot->reset_full || pool->full_reset || dbm__slot_unsettled(slot))) {
        dbm_op op;
        kept = dbm__self()->last;
        keep = true;
        dbm__op_init(&op, DBM_OP_RESET, dbm__deadline(db->host, 5000));
        if (dbm__op_run(&slot->connection, &op) != DBM_OK) close = true;
        slot->reset_full = false;
    }
    if (pool->check) {
        slot->used_us = dbm__now(db->host);
        if (!close && !due && dbm__pool_put(slot)) return;
    }
    if (close && slot->connection.open) {
        bool broken = slot->connection.broken;
        dbm__slot_disconnect(slot, broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
        dbm__lock_take(&pool->lock);
        pool->open--;
        pool->stats.disconnects++;
        if (broken) pool->stats.broken++;
        dbm__lock_give(&pool->lock);
    }
    if (due) { /* while the slot is still ours: after its return the pool may be gone */
        if (!keep) kept = dbm__self()->last;
        keep = true;
        dbm__pool_upkeep(pool, false);
    }
    for (;;) {
        dbm__lock_take(&pool->lock);
        if (close || !slot->connection.open) {
            dbm__slot_to_empty(slot);
        } else if (pool->state != DBM__POOL_OPEN || (pool->open > pool->size && pool->first == NULL)) {
            pool->open--;
            pool->stats.disconnects++;
            dbm__lock_give(&pool->lock);
            dbm__slot_disconnect(slot, DBM_DISCONNECT_POLITE);
            close = true;
            continue;
        } else {
            dbm__pool_set_idle(slot);
        }
        break;
    }
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, pool->first != NULL ? dbm__now(db->host) : 0);
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    orphaned = pool->orphaned;
    dbm__lock_give(&pool->lock);
    if (keep) dbm__self()->last = kept;
    if (orphaned) dbm__orphan_returned(db);
}

/* ---- closing, counting ------------------------------------------------------------------------------------------------- */

/* Slots that are neither idle nor empty, connects in flight left out. The lock is held. */
static int dbm__pool_out_locked(dbm__pool *pool) {
    int w, in = 0;
    for (w = 0; w < pool->words; w++) {
        dbm__word v = (dbm__load(&pool->idle[w]) & ~DBM__WAIT_BIT) | pool->empty[w];
        while (v != 0) { v &= v - 1u; in++; }
    }
    return pool->slot_count - in - pool->connecting;
}

DBM__FN int dbm__pool_out(dbm__pool *pool) {
    int n;
    dbm__lock_take(&pool->lock);
    n = dbm__pool_out_locked(pool);
    dbm__lock_give(&pool->lock);
    return n;
}

DBM__FN void dbm__pool_orphan(dbm__pool *pool) {
    dbm__lock_take(&pool->lock);
    pool->orphaned = true;
    dbm__add(&pool->db->shared->orphans, (dbm__word)dbm__pool_out_locked(pool) + (dbm__word)pool->connecting);
    dbm__lock_give(&pool->lock);
}

DBM__FN void dbm__pool_close(dbm__pool *pool) {
    dbm__slot *slot;
    dbm__lock_take(&pool->lock);
    pool->state = DBM__POOL_CLOSING;
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, 0);
    while ((slot = dbm__pool_pick_idle(pool)) != NULL) {
        pool->open--;
        pool->stats.disconnects++;
        dbm__lock_give(&pool->lock);
        dbm__slot_disconnect(slot, DBM_DISCONNECT_POLITE);
        dbm__lock_take(&pool->lock);
        dbm__slot_to_empty(slot);
    }
    dbm__lock_give(&pool->lock);
    if (dbm__pool_shared(pool)) dbm__shared_close(pool, DBM_DISCONNECT_POLITE);
}

DBM__FN int dbm__pool_drain(dbm__pool *pool, int64_t until_us) {
    dbm__word self = dbm__thread_number();
    int out, i, mine;
    dbm__lock_take(&pool->lock);
    for (;;) {
        out = dbm__pool_out_locked(pool);
        for (i = 0, mine = 0; i < pool->slot_count; i++) if (dbm__load(&dbm__pool_slot(pool, i)->holder) == self) mine++;
        if (out + pool->connecting <= mine || !DBM__THREADS || dbm__now(pool->db->host) >= until_us) break;
        dbm__wait_until(pool->db->host, &pool->drained, &pool->lock, until_us);
    }
    dbm__lock_give(&pool->lock);
    return out;
}

DBM__FN void dbm__pool_stats(dbm__pool *pool, dbm_stats_info *out) {
    int i, w, idle = 0;
    dbm__lock_take(&pool->lock);
    *out = pool->stats;
    out->size = pool->size;
    out->max_overflow = pool->slot_count - pool->size;
    out->open = pool->open;
    out->connecting = pool->connecting;
    out->waiting = pool->waiting;
    out->down = pool->down;
    out->out = dbm__pool_out_locked(pool);
    for (w = 0; w < pool->words; w++) {
        dbm__word v = dbm__load(&pool->idle[w]) & ~DBM__WAIT_BIT;
        while (v != 0) { v &= v - 1u; idle++; }
    }
    out->idle = idle;
    dbm__lock_give(&pool->lock);
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        out->checkouts += dbm__load(&slot->uses);
        out->statements += dbm__load(&slot->statements);
        out->cache_hits += dbm__load(&slot->connection.cache_hits);
        out->cache_misses += dbm__load(&slot->connection.cache_misses);
        out->cache_evictions += dbm__load(&slot->connection.cache_evictions);
    }
    out->stale_handles = dbm__load(&pool->stale_handles);
    out->left_early = dbm__load(&pool->left_early);
    out->retries = dbm__load(&pool->retries);
    out->in_doubt = dbm__load(&pool->in_doubt);
}

/* ---- fork -------------------------------------------------------------------------------------------------------------- */

/* True for the one thread that must clean up after a fork; it stores the epoch when it is done, and the others wait for that. */
DBM__FN bool dbm__fork_claim(dbm__word *fork) {
    const dbm__word busy = ~(dbm__word)0;
    dbm__word now = dbm__fork_epoch(), seen = dbm__load_acquire(fork);
    for (;;) {
        if (seen == now) return false;
        if (seen != busy && dbm__cas(fork, &seen, busy)) return true;
        if (seen == busy) {
            dbm__sleep_us(100);
            seen = dbm__load_acquire(fork);
        }
    }
}

DBM__FN DBM__NOINLINE void dbm__pool_after_fork(dbm__pool *pool) {
    dbm__word now = dbm__fork_epoch();
    int i;
    dbm__shared_after_fork(pool->db->shared);
    if (!dbm__fork_claim(&pool->fork)) return;
    /* The parent's locks may have been held by threads that do not exist here: they are made anew. */
    (void)dbm__lock_init(&pool->lock);
    (void)dbm__signal_init(&pool->drained);
    pool->first = pool->last = NULL;
    pool->waiting = pool->connecting = pool->open = 0;
    pool->down = false;
    pool->retry_us = 0;
    pool->failures = 0;
    for (i = 0; i < pool->words; i++) {
        dbm__store(&pool->idle[i], 0);
        pool->empty[i] = 0;
    }
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        dbm_connection *c = &slot->connection;
        bool open = c->open;
        dbm__store(&slot->holder, 0);
        dbm__store(&slot->site, 0);
        c->open = false;
        if (pool->db->on_fork != NULL) pool->db->on_fork(c);
        if (dbm__pool_shared(pool)) {
            if (pool->db->on_disconnect != NULL) pool->db->on_disconnect(c);
        } else {
            c->open = open;
            dbm__slot_disconnect(slot, DBM_DISCONNECT_FORKED);
        }
        slot->reset_full = slot->leak_reported = false;
        dbm__slot_to_empty(slot);
    }
    if (dbm__pool_shared(pool) && pool->shared.open) dbm__connection_close(&pool->shared, DBM_DISCONNECT_FORKED);
    pool->shared_users = pool->leaks_out = 0;
    pool->shared_busy = false;
    dbm__store(&pool->shared_dead, 0);
    dbm__pool_set_slow(pool);
    dbm__pool_wait_bits(pool, pool->state != DBM__POOL_OPEN);
    dbm__store_release(&pool->fork, now);
}
