/* Pools as a whole: making and freeing, the queue, what a connect that succeeded or failed means for all, drain, numbers, fork.
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
    pool->slots_block = dbm__alloc_zero(db->host, slot_size * (size_t)count + 63u);
    if (pool->slots_block == NULL) {
        dbm__free(db->host, pool);
        return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    }
    if (!dbm__lock_init(&pool->lock) || !dbm__signal_init(&pool->drained)) {
        dbm__free(db->host, pool->slots_block);
        dbm__free(db->host, pool);
        return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    }
    pool->db = db;
    pool->slots = (char *)pool->slots_block + (64u - ((uintptr_t)pool->slots_block & 63u)) % 64u;
    pool->slot_size = slot_size;
    pool->slot_count = count;
    pool->size = db->single ? 1 : config->pool.size;
    pool->empty = count;
    pool->fenced = dbm__fence_ready();
    pool->fork = dbm__fork_epoch();
    pool->max_connecting = db->adapter->flags & DBM_ADAPTER_SHARED ? 1 : DBM__CONNECTS;
    pool->names = dbm__url_names(db->settings->url.hosts);
    pool->full_reset = config->pool.reset_on_return == DBM_RESET_FULL;
    pool->check = pool->full_reset || (db->adapter->flags & DBM_ADAPTER_SOCKET) != 0 || db->adapter->alive != NULL
        || (db->adapter->flags & DBM_ADAPTER_SHARED) != 0 || config->pool.pre_ping == DBM_PRE_PING_ALWAYS || (config->pool.recycle_ms > 0 && !(db->adapter->flags & DBM_ADAPTER_NO_RECYCLE));
    for (i = 0; i < count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        slot->pool = pool;
        slot->index = (unsigned)i;
        slot->state = DBM__SLOT_EMPTY;
        slot->connection.db = db;
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
    dbm__free(host, pool->slots_block);
    dbm__free(host, pool);
}

/* ---- the queue; the lock is held -------------------------------------------------------------------------------------- */

/* From here on nobody takes or gives a slot past the lock, and each slot says what it is. */
static void dbm__pool_shut(dbm__pool *pool) {
    dbm__word slow = dbm__load(&pool->slow);
    int i, looks;
    if (slow & DBM__SLOW_TAKE) return;
    (void)dbm__swap(&pool->slow, slow | DBM__SLOW_TAKE);
    if (dbm__load(&pool->fenced) != 0 && !dbm__fence_others()) { /* the program has since forbidden it to itself: stores of others show by themselves, and soon */
        dbm__store(&pool->fenced, 0);
        dbm__sleep_us(1000);
    }
    for (i = 0; i < pool->slot_count; i++) {
        dbm__word *state = &dbm__pool_slot(pool, i)->state;
        for (looks = 0; dbm__load_ordered(state) == DBM__SLOT_RETURNING; looks++) { /* two stores of a thread, if it only gets to run */
            if (looks < 100) dbm__yield();
            else dbm__sleep_us(50);
        }
    }
    pool->may_idle = true;
}

DBM__FN dbm__slot *dbm__pool_pick_idle(dbm__pool *pool) {
    int i;
    if ((dbm__load(&pool->slow) & DBM__SLOW_TAKE) && !pool->may_idle) return NULL;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        if (dbm__load(&slot->state) == DBM__SLOT_IDLE && dbm__pool_try(pool, (unsigned)i) != NULL) return slot;
    }
    pool->may_idle = false;
    return NULL;
}

DBM__FN dbm__slot *dbm__pool_pick_empty(dbm__pool *pool) {
    int i;
    if (pool->empty == 0) return NULL;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        if (dbm__load(&slot->state) != DBM__SLOT_EMPTY) continue;
        dbm__store(&slot->state, DBM__SLOT_OUT);
        pool->empty--;
        return slot;
    }
    return NULL;
}

DBM__FN int dbm__pool_idle(dbm__pool *pool) {
    int i, idle = 0;
    for (i = 0; i < pool->slot_count; i++) if (dbm__load(&dbm__pool_slot(pool, i)->state) == DBM__SLOT_IDLE) idle++;
    return idle;
}

DBM__FN void dbm__pool_set_idle(dbm__slot *slot) {
    dbm__store(&slot->holder, 0);
    dbm__store_release(&slot->state, DBM__SLOT_IDLE);
    slot->pool->may_idle = true;
}

DBM__FN void dbm__slot_to_empty(dbm__slot *slot) {
    dbm__store(&slot->holder, 0);
    dbm__store(&slot->state, DBM__SLOT_EMPTY);
    slot->pool->empty++;
}

/* SLOW_TAKE is set by dbm__pool_shut() alone. */
DBM__FN void dbm__pool_set_slow(dbm__pool *pool) {
    dbm__word take = pool->state != DBM__POOL_OPEN || pool->first != NULL ? dbm__load(&pool->slow) & DBM__SLOW_TAKE : 0;
    dbm__store(&pool->slow, take | (pool->open > pool->size || pool->leaks_out != 0 ? (dbm__word)DBM__SLOW_GIVE : 0));
}

DBM__FN void dbm__taking_unlink(dbm__pool *pool, dbm__taking *t) {
    if (t->u.previous != NULL) t->u.previous->next = t->next; else pool->first = t->next;
    if (t->next != NULL) t->next->u.previous = t->u.previous; else pool->last = t->u.previous;
    t->next = NULL;
    t->u.slot = NULL;
    pool->waiting--;
}

/* By ticket: one that comes back after a failed connect keeps its place. */
DBM__FN void dbm__taking_link(dbm__pool *pool, dbm__taking *t) {
    dbm__taking *after = pool->last;
    if (t->ticket == 0 && (t->ticket = ++pool->tickets) == 0) t->ticket = ++pool->tickets;
    while (after != NULL && (int32_t)(after->ticket - t->ticket) > 0) after = after->u.previous;
    t->u.previous = after;
    t->next = after != NULL ? after->next : pool->first;
    if (t->next != NULL) t->next->u.previous = t; else pool->last = t;
    if (after != NULL) after->next = t; else pool->first = t;
    t->got = DBM__GOT_NOTHING;
    pool->waiting++;
}

/* A thread is woken under the lock, without which it can't leave. `wake` of others is called when the lock has been given back, by
 * dbm__pool_leave(), and until it has returned they do not leave: who is listed, or being called, is in `waking`. */
enum { DBM__WAKE_NONE = 0, DBM__WAKE_LISTED, DBM__WAKE_CALLING, DBM__WAKE_AGAIN };

static void dbm__taker_wake(dbm__pool *pool, dbm__taker *by) {
    dbm__word now = dbm__load(&by->waking);
    if (by->wake == NULL) {
        dbm__signal_one((dbm__signal *)by->ud);
        return;
    }
    for (;;) {
        if (now == DBM__WAKE_LISTED || now == DBM__WAKE_AGAIN) return; /* that call is still to come */
        if (dbm__cas(&by->waking, &now, now == DBM__WAKE_NONE ? (dbm__word)DBM__WAKE_LISTED : (dbm__word)DBM__WAKE_AGAIN)) break;
    }
    if (now != DBM__WAKE_NONE) return; /* whoever is in the call calls again */
    by->woken_next = pool->woken;
    pool->woken = by;
}

DBM__FN void dbm__pool_leave(dbm__pool *pool) {
    dbm__taker *by = pool->woken, *next;
    pool->woken = NULL;
    dbm__lock_give(&pool->lock);
    for (; DBM__UNLIKELY(by != NULL); by = next) {
        dbm__word now;
        next = by->woken_next;
        do {
            (void)dbm__swap(&by->waking, DBM__WAKE_CALLING);
            by->wake(by->ud);
            now = DBM__WAKE_CALLING;
        } while (!dbm__cas(&by->waking, &now, DBM__WAKE_NONE)); /* from here on it may be gone */
    }
}

DBM__FN void dbm__orphan_returned(dbm__shared *shared) {
    if (dbm__add(&shared->orphans, (dbm__word)0 - 1u) == 1u) shared->free_all(shared);
}

DBM__FN void dbm__pool_leave_in(dbm__pool *pool) {
    dbm__shared *shared = pool->db->shared;
    bool orphaned = pool->orphaned;
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    dbm__pool_leave(pool);
    if (orphaned) dbm__orphan_returned(shared);
}

/* Out of the queue, with what it got. */
DBM__FN void dbm__taking_got(dbm__pool *pool, dbm__taking *t, int got, dbm__slot *slot, dbm_status status) {
    dbm__taking_unlink(pool, t);
    t->got = (unsigned char)got;
    t->u.slot = slot;
    t->status = (unsigned char)status;
    if (slot != NULL) dbm__store(&slot->holder, dbm__load(&t->by->holder));
    *t->by->last_served = t;
    t->by->last_served = &t->next;
}

static void dbm__taking_serve(dbm__pool *pool, int got, dbm__slot *slot, dbm_status status) {
    dbm__taker *by = pool->first->by;
    dbm__taking_got(pool, pool->first, got, slot, status);
    dbm__taker_wake(pool, by);
}

DBM__FN void dbm__slot_back(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    if (pool->state == DBM__POOL_OPEN && pool->first != NULL) dbm__taking_serve(pool, DBM__GOT_IDLE, slot, DBM_OK);
    else dbm__pool_set_idle(slot);
}

/* Serves the queue in order with what there is. */
DBM__FN void dbm__pool_dispatch(dbm__pool *pool, int64_t now) {
    dbm__slot *slot;
    if (pool->first != NULL) dbm__pool_shut(pool);
    while (pool->first != NULL) {
        if (pool->state != DBM__POOL_OPEN) {
            dbm__taking_serve(pool, DBM__GOT_FAILURE, NULL, DBM_E_CLOSED);
        } else if ((slot = dbm__pool_pick_idle(pool)) != NULL) {
            dbm__taking_serve(pool, DBM__GOT_IDLE, slot, DBM_OK);
        } else if (pool->connecting < pool->max_connecting && now >= pool->retry_us && (slot = dbm__pool_pick_empty(pool)) != NULL) {
            pool->connecting++;
            dbm__taking_serve(pool, DBM__GOT_EMPTY, slot, DBM_OK);
        } else {
            /* The first in line sleeps until the pause after a failed connect is over; it may have become the first just now. */
            if (now < pool->retry_us) dbm__taker_wake(pool, pool->first->by);
            return;
        }
    }
    dbm__pool_set_slow(pool);
}

/* A failure that another try can't cure: everybody who waits hears of it at once. */
static bool dbm__connect_fatal(const dbm_error_info *e) {
    if (e->retryable) return false;
    return e->status == DBM_E_AUTH || e->status == DBM_E_TLS || e->status == DBM_E_CONFIG || e->status == DBM_E_UNKNOWN_NAME
        || e->status == DBM_E_UNSUPPORTED || e->status == DBM_E_MISUSE || e->status == DBM_E_NOT_COMPILED || e->status == DBM_E_SQL
        || strcmp(e->sqlstate, "3D000") == 0; /* there is no such database */
}

static void dbm__pool_fail_waiters(dbm__pool *pool, dbm_status status) {
    while (pool->first != NULL) dbm__taking_serve(pool, DBM__GOT_FAILURE, NULL, status);
    dbm__pool_set_slow(pool);
}

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

DBM__FN void dbm__pool_turned(dbm__pool *pool, bool came_up, bool went_down, const char *site) {
    dbm_database *db = pool->db;
    const dbm_error_info *e = &dbm__self()->last;
    if (went_down) dbm__event(db->host, DBM_EVENT_DOWN, DBM_LOG_WARNING, db->name, site, e->status, 0, "%s", e->message);
    if (came_up) dbm__event(db->host, DBM_EVENT_UP, DBM_LOG_INFO, db->name, site, DBM_OK, 0, "database %q answers again", db->name);
}

/* ---- closing, counting ------------------------------------------------------------------------------------------------- */

/* Slots that are neither idle nor empty, connects in flight left out. The lock is held. */
static int dbm__pool_out_locked(dbm__pool *pool) { return pool->slot_count - dbm__pool_idle(pool) - pool->empty - pool->connecting; }

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
    dbm__pool_shut(pool); /* for good */
    dbm__pool_dispatch(pool, 0);
    while ((slot = dbm__pool_pick_idle(pool)) != NULL) {
        pool->open--;
        pool->stats.disconnects++;
        dbm__pool_leave(pool);
        dbm__slot_disconnect(slot, DBM_DISCONNECT_POLITE);
        dbm__lock_take(&pool->lock);
        dbm__slot_to_empty(slot);
    }
    dbm__pool_leave(pool);
    if (dbm__pool_shared(pool)) dbm__shared_close(pool, DBM_DISCONNECT_POLITE);
}

DBM__FN int dbm__pool_drain(dbm__pool *pool, int64_t until_us) {
    dbm__word self = dbm__thread_number(), served = dbm__self()->served;
    int out, i, mine, loops;
    dbm__lock_take(&pool->lock);
    for (;;) {
        out = dbm__pool_out_locked(pool);
        for (i = mine = loops = 0; i < pool->slot_count; i++) {
            dbm__word holder = dbm__load(&dbm__pool_slot(pool, i)->holder);
            if (holder == self) mine++;
            if (holder == DBM__HOLDER_LOOP(self) || holder == DBM__HOLDER_LOOP(served)) loops++;
        }
        if (out + pool->connecting <= mine + loops || !DBM__THREADS || dbm__now(pool->db->host) >= until_us) break;
        dbm__wait_until(pool->db->host, &pool->drained, &pool->lock, until_us);
    }
    if (out > out + pool->connecting - loops) out += pool->connecting - loops; /* some of them connect */
    dbm__lock_give(&pool->lock);
    return out;
}

DBM__FN void dbm__pool_stats(dbm__pool *pool, dbm_stats_info *out) {
    int i;
    dbm__lock_take(&pool->lock);
    *out = pool->stats;
    out->size = pool->size;
    out->max_overflow = pool->slot_count - pool->size;
    out->open = pool->open;
    out->connecting = pool->connecting;
    out->waiting = pool->waiting;
    out->down = pool->down;
    out->out = dbm__pool_out_locked(pool);
    out->idle = dbm__pool_idle(pool);
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
    pool->woken = NULL;
    pool->waiting = pool->connecting = pool->open = 0;
    pool->down = false;
    pool->retry_us = 0;
    pool->failures = 0;
    pool->empty = 0;
    pool->fenced = dbm__fence_ready();
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
        slot->reset_full = slot->leak_reported = slot->way.on = false;
        dbm__slot_to_empty(slot);
    }
    if (dbm__pool_shared(pool) && pool->shared.open) dbm__connection_close(&pool->shared, DBM_DISCONNECT_FORKED);
    pool->shared_users = pool->leaks_out = 0;
    pool->shared_busy = false;
    dbm__store(&pool->shared_dead, 0);
    dbm__pool_set_slow(pool);
    if (pool->state != DBM__POOL_OPEN) dbm__pool_shut(pool);
    dbm__store_release(&pool->fork, now);
}
