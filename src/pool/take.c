/* Checkout and return beyond the fast path, step by step; a thread that waits goes through the same steps.
 * May call: api/, base/, adapter/, pool.h.
 * Must not know: sessions, SQL, who waits.
 *
 *     start --> LINE --> WAITING --idle--> LOOK --(PING)--> done
 *                 ^         |                |dead
 *                 |         +--empty--> CONNECT --> done
 *                 +---retired, or failed while others live---+ */
#include "pool.h"

/* ---- what is said of those who failed ------------------------------------------------------------------------------------- */

DBM__FN void dbm__pool_holders(dbm__pool *pool, dbm__word but, dbm__text *out) {
    int64_t now_ms = dbm__now(pool->db->host) / 1000;
    int i, shown = 0, more = 0;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        const char *site = (const char *)dbm__load(&slot->site);
        dbm__word since;
        if (site == NULL || (but != 0 && dbm__load(&slot->holder) == but)) continue;
        if (shown == 8) { more++; continue; }
        since = dbm__load(&slot->since_ms);
        dbm__putf(out, "%s%s", shown != 0 ? ", " : "", site);
        if (since != 0) dbm__putf(out, " for at least %m", (int64_t)((dbm__word)now_ms - since) * 1000 < 0 ? (int64_t)0 : (int64_t)((dbm__word)now_ms - since) * 1000);
        shown++;
    }
    if (more != 0) dbm__putf(out, " and %d more", more);
}

/* Notes when slots were first seen out, so that "for at least" is true without a clock read at each checkout. */
static void dbm__pool_look(dbm__pool *pool, int64_t now) {
    int i;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        dbm__word none = 0;
        if (dbm__load(&slot->site) != 0 && dbm__load(&slot->since_ms) == 0) dbm__cas(&slot->since_ms, &none, (dbm__word)(now / 1000) | 1u);
    }
}

DBM__FN dbm_status dbm__pool_timed_out(dbm__pool *pool, bool pools_own, int64_t waited, const char *site) {
    dbm_database *db = pool->db;
    char block[600], cause[512];
    dbm__text holders = dbm__text_in(block, sizeof block);
    dbm_stats_info s;
    dbm__pool_stats(pool, &s);
    dbm__pool_holders(pool, 0, &holders);
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

/* ---- the way back ------------------------------------------------------------------------------------------------------- */

enum { DBM__GIVE_RESET, DBM__GIVE_CLOSE, DBM__GIVE_UPKEEP, DBM__GIVE_BACK };

/* The session left something on the connection that its next user must not find. */
static bool dbm__slot_unsettled(const dbm__slot *slot) {
    dbm_reset reset = slot->pool->db->settings->config.pool.reset_on_return;
    if (slot->connection.state == DBM_STATE_CHANGED) return reset != DBM_RESET_NONE && reset != DBM_RESET_COMMIT;
    return slot->connection.state == DBM_STATE_TRANSACTION;
}

static bool dbm__giving_due(const dbm__slot *slot) { return (slot->uses & (DBM__UPKEEP_EVERY - 1u)) == 0; }

static bool dbm__giving_put(dbm__slot *slot) {
    dbm__store(&slot->holder, 0); /* only now: a loop's steps up to here are its own */
    if (slot->pool->check) slot->used_us = dbm__now(slot->pool->db->host);
    return !slot->way.close && !dbm__giving_due(slot) && dbm__pool_put(slot);
}

DBM__FN bool dbm__giving_start(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    bool leak_reported = false;
    dbm__store(&slot->site, 0);
    slot->used_us = 0;
    if (dbm__load(&pool->slow) != 0) {
        dbm__lock_take(&pool->lock);
        leak_reported = slot->leak_reported;
        slot->leak_reported = false;
        if (leak_reported) pool->leaks_out--;
        dbm__pool_set_slow(pool);
        dbm__pool_leave(pool);
    }
    if (leak_reported) {
        dbm__event(pool->db->host, DBM_EVENT_LEAK_RETURNED, DBM_LOG_INFO, pool->db->name, NULL, DBM_OK, 0, "a session that was reported as leaked came back");
    }
    slot->way.on = false;
    slot->way.close = slot->connection.broken || !slot->connection.open;
    if (!slot->way.close && (slot->reset_full || pool->full_reset || dbm__slot_unsettled(slot))) {
        slot->way.phase = DBM__GIVE_RESET;
        return true;
    }
    slot->way.phase = DBM__GIVE_CLOSE;
    return !dbm__giving_put(slot);
}

DBM__FN int dbm__giving_step(dbm__slot *slot, dbm_status heard, bool may_block) {
    dbm__pool *pool = slot->pool;
    dbm__way *way = &slot->way;
    bool blocks = !may_block && !dbm__pool_steps(pool);
    if (way->phase == DBM__GIVE_RESET) {
        dbm_error_info kept = dbm__self()->last;
        int want = dbm__way_step(slot, DBM_OP_RESET, way->on ? 0 : dbm__deadline(pool->db->host, 5000), heard, may_block);
        dbm__self()->last = kept;
        if (want != DBM_STEP_DONE) return want;
        if (way->status != DBM_OK) way->close = true;
        slot->reset_full = false;
        if (dbm__giving_put(slot)) return DBM_STEP_DONE;
        way->phase = DBM__GIVE_CLOSE;
    }
    if (way->phase == DBM__GIVE_CLOSE) {
        bool broken = slot->connection.broken;
        if (way->close && slot->connection.open) {
            if (blocks) return DBM__STEP_BLOCKS;
            dbm__slot_disconnect(slot, broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
            dbm__lock_take(&pool->lock);
            pool->open--;
            pool->stats.disconnects++;
            if (broken) pool->stats.broken++;
            dbm__pool_leave(pool);
        }
        way->phase = DBM__GIVE_UPKEEP;
    }
    if (way->phase == DBM__GIVE_UPKEEP) { /* while the slot is still ours: after its return the pool may be gone */
        if (dbm__giving_due(slot)) {
            dbm_error_info kept;
            if (blocks) return DBM__STEP_BLOCKS;
            kept = dbm__self()->last;
            dbm__pool_upkeep(pool, false);
            dbm__self()->last = kept;
        }
        way->phase = DBM__GIVE_BACK;
    }
    for (;;) {
        dbm__lock_take(&pool->lock);
        if (way->close || !slot->connection.open) {
            dbm__slot_to_empty(slot);
            break;
        }
        if (pool->state == DBM__POOL_OPEN && (pool->open <= pool->size || pool->first != NULL)) {
            dbm__slot_back(slot);
            break;
        }
        if (!blocks) {
            pool->open--;
            pool->stats.disconnects++;
        }
        dbm__pool_leave(pool);
        if (blocks) return DBM__STEP_BLOCKS;
        dbm__slot_disconnect(slot, DBM_DISCONNECT_POLITE);
        way->close = true;
    }
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, pool->first != NULL ? dbm__now(pool->db->host) : 0);
    dbm__pool_leave_in(pool);
    return DBM_STEP_DONE;
}

DBM__FN DBM__NOINLINE void dbm__pool_give_slow(dbm__slot *slot) {
    dbm_status heard = DBM_OK;
    int want;
    if (!dbm__giving_start(slot)) return;
    while ((want = dbm__giving_step(slot, heard, true)) != DBM_STEP_DONE) heard = dbm__way_wait(slot, want);
}

/* ---- checkout --------------------------------------------------------------------------------------------------------- */

enum { DBM__TAKE_START, DBM__TAKE_LINE, DBM__TAKE_WAITING, DBM__TAKE_LOOK, DBM__TAKE_PING, DBM__TAKE_RETIRE, DBM__TAKE_CONNECT, DBM__TAKE_DONE };

/* An idle connection before it is handed out: good, in need of a ping, or dead or too old. No lock is held. */
enum { DBM__LOOK_GOOD, DBM__LOOK_PING, DBM__LOOK_BAD };
static int dbm__slot_look(dbm__slot *slot, int64_t now) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    const dbm_config *config = &db->settings->config;
    int64_t idle;
    if (dbm__load(&pool->shared_dead) != 0) return DBM__LOOK_BAD;
    if (!pool->check) return DBM__LOOK_GOOD;
    if (now >= slot->expires_us) {
        dbm__lock_take(&pool->lock);
        pool->stats.recycled++;
        dbm__pool_leave(pool);
        return DBM__LOOK_BAD;
    }
    if (config->pool.pre_ping == DBM_PRE_PING_OFF) return DBM__LOOK_GOOD;
    idle = now - slot->used_us;
    if (config->pool.pre_ping != DBM_PRE_PING_ALWAYS) {
        dbm__word since = dbm__load(&pool->suspect_ms);
        bool suspect = since != 0 && (dbm__word)(slot->used_us / 1000) <= since;
        if (idle < 1000 && !suspect) return DBM__LOOK_GOOD;
        if (db->adapter->alive != NULL && db->adapter->alive(&slot->connection) != DBM_OK) return DBM__LOOK_BAD;
        if (!suspect && (idle < 1000000 || !(db->adapter->flags & DBM_ADAPTER_SOCKET))) return DBM__LOOK_GOOD;
    }
    return DBM__LOOK_PING;
}

/* Any idle slot at all, past what is special about the pool. */
static dbm__slot *dbm__pool_find(dbm__pool *pool) {
    dbm__thread *self = dbm__self();
    dbm__slot *slot;
    int i;
    dbm__fork_look();
    if (DBM__UNLIKELY(dbm__load(&pool->fork) != dbm__fork_epoch())) dbm__pool_after_fork(pool);
    if (dbm__load(&pool->slow) & DBM__SLOW_TAKE) return NULL;
    slot = dbm__pool_try(pool, self->slot);
    for (i = 0; i < pool->slot_count && slot == NULL; i++) {
        if (dbm__load(&dbm__pool_slot(pool, i)->state) == DBM__SLOT_IDLE) slot = dbm__pool_try(pool, (unsigned)i);
    }
    if (slot != NULL) self->slot = slot->index;
    return slot;
}

static void dbm__slot_taken(dbm__slot *slot, int64_t now, const char *site) {
    dbm__store(&slot->uses, slot->uses + 1u);
    dbm__store(&slot->since_ms, (dbm__word)(now / 1000) | 1u);
    dbm__store(&slot->site, (dbm__word)site);
}

DBM__FN void dbm__taker_init(dbm__taker *by, dbm_database *db, void (*wake)(void *ud), void *ud) {
    memset(by, 0, sizeof *by);
    by->db = db;
    by->wake = wake;
    by->ud = ud;
    by->fork = dbm__fork_epoch();
    by->last_served = &by->served;
}

DBM__FN void dbm__taker_end(dbm__taker *by) {
    while (by->wake != NULL && dbm__load_acquire(&by->waking) != 0) dbm__yield(); /* nobody may be in that call */
}

/* When the pool's own patience ends; no time-out: at once. */
static int64_t dbm__taking_limit(const dbm__taking *t) { return t->began_us + (int64_t)t->by->db->settings->config.pool.timeout_ms * 1000; }
static int64_t dbm__earlier(int64_t a, int64_t b) { return a < b ? a : b; }
/* Not waiting for others is no reason not to connect. */
static int64_t dbm__taking_connect_limit(const dbm__taking *t, int64_t session_deadline_us) {
    return t->by->db->settings->config.pool.timeout_ms <= 0 ? session_deadline_us : dbm__earlier(dbm__taking_limit(t), session_deadline_us);
}

/* The pause after a failed connect is the first one's to sit out. With the lock. */
static int64_t dbm__taking_pause(const dbm__pool *pool, const dbm__taker *by, int64_t now) {
    return pool->first != NULL && pool->first->by == by && pool->retry_us > now ? pool->retry_us : INT64_MAX;
}

/* What is served is taken out of the list; with the lock. */
static void dbm__taking_fetched(dbm__taking *t) {
    dbm__taking **p = &t->by->served;
    while (*p != NULL && *p != t) p = &(*p)->next;
    if (*p == NULL) return;
    *p = t->next;
    if (t->by->last_served == &t->next) t->by->last_served = p;
    t->next = NULL;
}

DBM__FN dbm__taking *dbm__taker_next(dbm__taker *by, int64_t *until_us) {
    dbm__pool *pool = by->db->pool;
    dbm__taking *t, *next;
    *until_us = INT64_MAX;
    dbm__lock_take(&pool->lock);
    if (by->served == NULL && pool->first != NULL) {
        int64_t now = dbm__now(by->db->host);
        for (t = pool->first; t != NULL; t = next) {
            next = t->next;
            if (t->by != by) continue;
            if (dbm__taking_limit(t) > now) {
                *until_us = dbm__taking_limit(t); /* that of those behind it is not earlier */
                break;
            }
            pool->stats.timeouts++;
            dbm__taking_got(pool, t, DBM__GOT_LATE, NULL, DBM_OK);
        }
        if (by->served != NULL || (pool->first->by == by && now >= pool->retry_us)) dbm__pool_dispatch(pool, now); /* another one is the first, or the pause is over */
        *until_us = dbm__earlier(*until_us, dbm__taking_pause(pool, by, now));
    }
    t = by->served;
    if (t != NULL) dbm__taking_fetched(t);
    dbm__pool_leave(pool);
    return t;
}

DBM__FN void dbm__taking_init(dbm__taking *t, dbm__taker *by, const char *site) {
    memset(t, 0, sizeof *t);
    t->by = by;
    t->site = site;
}

static int dbm__taking_done(dbm__taking *t, dbm_status st) {
    dbm_error_info *e = &dbm__self()->last;
    t->phase = DBM__TAKE_DONE;
    t->status = (unsigned char)st;
    if (st != DBM_OK) t->u.slot = NULL;
    if (st != DBM_OK && t->site != NULL && e->site[0] == 0) dbm__copy_cut(e->site, sizeof e->site, t->site);
    return DBM_STEP_DONE;
}

static int dbm__taking_late(dbm__taking *t, int64_t now, int64_t session_deadline_us) {
    return dbm__taking_done(t, dbm__pool_timed_out(t->by->db->pool, dbm__taking_limit(t) <= session_deadline_us, now - t->began_us, t->site));
}

/* In line, and serves the line. DBM_STEP_DONE: failed; else it waits, or got something. */
static int dbm__taking_line(dbm__taking *t, int64_t now) {
    dbm__pool *pool = t->by->db->pool;
    dbm__lock_take(&pool->lock);
    if (pool->state != DBM__POOL_OPEN) {
        dbm__pool_leave(pool);
        return dbm__taking_done(t, dbm__pool_failed(pool, DBM_E_CLOSED, t->site));
    }
    if (pool->open == 0 && pool->connecting == 0 && now < pool->retry_us && pool->first == NULL) {
        dbm__pool_leave(pool); /* down, and just tried: say why at once */
        return dbm__taking_done(t, dbm__pool_failed(pool, DBM_E_CONNECT, t->site));
    }
    dbm__taking_link(pool, t);
    dbm__pool_dispatch(pool, now);
    if (t->got == DBM__GOT_NOTHING) {
        pool->stats.waits++;
        dbm__pool_look(pool, now);
    }
    dbm__pool_leave(pool);
    t->phase = DBM__TAKE_WAITING;
    return DBM__STEP_QUEUED;
}

/* Out of the queue, unless something has been handed to it meanwhile. */
static bool dbm__taking_withdraw(dbm__taking *t, int64_t now, bool timed_out) {
    dbm__pool *pool = t->by->db->pool;
    bool mine;
    dbm__lock_take(&pool->lock);
    mine = t->got == DBM__GOT_NOTHING;
    if (mine) {
        dbm__taking_unlink(pool, t);
        if (timed_out) pool->stats.timeouts++;
        dbm__pool_dispatch(pool, now);
    } else {
        dbm__taking_fetched(t);
    }
    dbm__pool_leave(pool);
    return mine;
}

/* DBM__STEP_QUEUED: waits on; DBM_STEP_DONE: nothing came in time; else what it got sets the phase. */
static int dbm__taking_waiting(dbm__taking *t, int64_t now, int64_t session_deadline_us) {
    dbm__pool *pool = t->by->db->pool;
    int64_t deadline_us = dbm__earlier(dbm__taking_limit(t), session_deadline_us);
    int got;
    dbm__lock_take(&pool->lock);
    if (t->got == DBM__GOT_NOTHING && now < deadline_us && pool->first == t && now >= pool->retry_us) dbm__pool_dispatch(pool, now);
    got = t->got;
    if (got != DBM__GOT_NOTHING) dbm__taking_fetched(t);
    dbm__pool_leave(pool);
    if (got == DBM__GOT_NOTHING) {
        if (now < deadline_us) return DBM__STEP_QUEUED;
        if (!dbm__taking_withdraw(t, now, true)) return dbm__taking_waiting(t, now, session_deadline_us); /* served in the last moment */
        return dbm__taking_late(t, now, session_deadline_us);
    }
    if (got == DBM__GOT_LATE) return dbm__taking_late(t, now, session_deadline_us);
    if (got == DBM__GOT_FAILURE) return dbm__taking_done(t, dbm__pool_failed(pool, (dbm_status)t->status, t->site));
    t->phase = got == DBM__GOT_IDLE ? DBM__TAKE_LOOK : DBM__TAKE_CONNECT;
    if (got == DBM__GOT_EMPTY) dbm__connect_start(t->u.slot, dbm__taking_connect_limit(t, session_deadline_us));
    return DBM__STEP_BLOCKS;
}

/* After a connect. DBM__STEP_QUEUED: it failed, and the place in the queue stays. */
static int dbm__taking_connected(dbm__taking *t, int64_t now, int64_t session_deadline_us) {
    dbm__pool *pool = t->by->db->pool;
    dbm__slot *slot = t->u.slot;
    dbm_status st = slot->way.status;
    bool came_up = false, went_down = false, waits, closing, orphaned, late;
    dbm__lock_take(&pool->lock);
    pool->connecting--;
    closing = pool->state != DBM__POOL_OPEN;
    orphaned = pool->orphaned;
    if (st == DBM_OK) {
        came_up = dbm__pool_connected(pool);
        dbm__pool_dispatch(pool, now); /* a permit to connect is free again */
        dbm__pool_leave(pool);
        dbm__pool_turned(pool, came_up, false, t->site);
        if (closing) {
            (void)dbm__taking_done(t, dbm__pool_failed(pool, DBM_E_CLOSED, t->site));
            dbm__slot_retire(slot);
            return DBM_STEP_DONE;
        }
        dbm__slot_taken(slot, now, t->site);
        return dbm__taking_done(t, DBM_OK);
    }
    dbm__slot_to_empty(slot);
    t->u.slot = NULL;
    waits = dbm__pool_connect_failed(pool, &dbm__self()->last, now, &went_down);
    dbm__pool_dispatch(pool, now);
    if (closing) dbm__signal_all(&pool->drained);
    late = now >= dbm__earlier(dbm__taking_limit(t), session_deadline_us);
    if (waits && late) pool->stats.timeouts++; /* others have connections, so it waited for one of those too */
    dbm__pool_leave(pool);
    dbm__pool_turned(pool, false, went_down, t->site);
    t->phase = DBM__TAKE_LINE;
    if (!waits) (void)dbm__taking_done(t, st); /* with this thread's own failure */
    else if (late) (void)dbm__taking_late(t, now, session_deadline_us);
    else if (orphaned) (void)dbm__taking_done(t, dbm__pool_failed(pool, DBM_E_CLOSED, t->site));
    if (orphaned) dbm__orphan_returned(t->by->db->shared);
    return t->phase == DBM__TAKE_DONE ? (int)DBM_STEP_DONE : (int)DBM__STEP_QUEUED;
}

DBM__FN int dbm__taking_step(dbm__taking *t, dbm_status heard, bool may_block, int64_t session_deadline_us) {
    dbm_database *db = t->by->db;
    int64_t now = dbm__now(db->host);
    int want;
    if (DBM__UNLIKELY(t->by->fork != dbm__fork_epoch())) {
        return dbm__taking_done(t, dbm__fail(DBM_E_FORKED, DBM_STAGE_CHECKOUT, db->name, t->site, "database %q: this checkout was the parent process's", db->name));
    }
    for (;;) {
        switch (t->phase) {
        case DBM__TAKE_START:
            t->began_us = now;
            t->u.slot = dbm__pool_find(db->pool);
            t->phase = t->u.slot != NULL ? DBM__TAKE_LOOK : DBM__TAKE_LINE;
            if (t->u.slot != NULL) dbm__store(&t->u.slot->holder, dbm__load(&t->by->holder));
            break;
        case DBM__TAKE_LINE:
            if (dbm__taking_line(t, now) == DBM_STEP_DONE) return DBM_STEP_DONE;
            break;
        case DBM__TAKE_WAITING:
            want = dbm__taking_waiting(t, now, session_deadline_us);
            if (want != DBM__STEP_BLOCKS) return want;
            break;
        case DBM__TAKE_LOOK:
            want = dbm__slot_look(t->u.slot, now);
            if (want == DBM__LOOK_GOOD) {
                dbm__slot_taken(t->u.slot, now, t->site);
                return dbm__taking_done(t, DBM_OK);
            }
            t->phase = want == DBM__LOOK_PING ? DBM__TAKE_PING : DBM__TAKE_RETIRE;
            t->u.slot->way.on = false;
            break;
        case DBM__TAKE_PING:
            want = dbm__way_step(t->u.slot, DBM_OP_PING, dbm__earlier(dbm__taking_connect_limit(t, session_deadline_us), now + 5000000), heard, may_block);
            heard = DBM_OK;
            if (want != DBM_STEP_DONE) return want;
            now = dbm__now(db->host);
            t->phase = DBM__TAKE_RETIRE;
            if (t->u.slot->way.status != DBM_OK) break;
            dbm__slot_taken(t->u.slot, now, t->site);
            return dbm__taking_done(t, DBM_OK);
        case DBM__TAKE_RETIRE:
            if (!may_block && !dbm__pool_steps(db->pool)) return DBM__STEP_BLOCKS;
            dbm__slot_retire(t->u.slot);
            now = dbm__now(db->host);
            t->u.slot = NULL;
            t->phase = DBM__TAKE_LINE;
            break;
        case DBM__TAKE_CONNECT:
            want = dbm__connect_step(t->u.slot, heard, may_block);
            heard = DBM_OK;
            if (want != DBM_STEP_DONE) return want;
            now = dbm__now(db->host);
            if (dbm__taking_connected(t, now, session_deadline_us) == DBM_STEP_DONE) return DBM_STEP_DONE;
            break;
        default: return DBM_STEP_DONE;
        }
    }
}

DBM__FN void dbm__taking_abandon(dbm__taking *t) {
    dbm__pool *pool = t->by->db->pool;
    dbm__slot *slot;
    dbm_error_info kept;
    int phase = t->phase;
    t->phase = DBM__TAKE_DONE;
    if (phase == DBM__TAKE_DONE || t->by->fork != dbm__fork_epoch()) return;
    kept = dbm__self()->last;
    if (phase == DBM__TAKE_WAITING && !dbm__taking_withdraw(t, dbm__now(t->by->db->host), false)) {
        if (t->got == DBM__GOT_IDLE) phase = DBM__TAKE_LOOK;
        if (t->got == DBM__GOT_EMPTY) phase = DBM__TAKE_CONNECT;
        if (t->got == DBM__GOT_EMPTY) dbm__connect_start(t->u.slot, 0);
    }
    slot = t->u.slot;
    t->u.slot = NULL;
    t->status = DBM_E_CANCELLED;
    if (phase == DBM__TAKE_LOOK) {
        slot->way.phase = DBM__GIVE_BACK;
        slot->way.close = false;
        (void)dbm__giving_step(slot, DBM_OK, true);
    } else if (phase == DBM__TAKE_PING || phase == DBM__TAKE_RETIRE) {
        dbm__way_drop(slot);
        dbm__slot_retire(slot);
    } else if (phase == DBM__TAKE_CONNECT) {
        dbm__connect_drop(slot);
        dbm__lock_take(&pool->lock);
        pool->connecting--;
        dbm__slot_to_empty(slot);
        dbm__pool_dispatch(pool, dbm__now(t->by->db->host));
        dbm__pool_leave_in(pool);
    }
    dbm__self()->last = kept;
}

/* ---- a thread that waits ----------------------------------------------------------------------------------------------- */

DBM__FN DBM__NOINLINE dbm_status dbm__pool_take_slow(dbm_database *db, int64_t session_deadline_us, dbm__word holder, const char *site,
                                                     dbm__slot **out) {
    dbm__pool *pool = db->pool;
    dbm__slot *had = dbm__pool_find(pool);
    int64_t now = dbm__now(db->host);
    dbm__taker by;
    dbm__taking t;
    dbm__signal signal;
#if DBM__THREADS
    dbm__blocked blocked;
    bool in_graph = false;
#endif
    dbm_status heard = DBM_OK;
    int want, look = had != NULL ? dbm__slot_look(had, now) : DBM__LOOK_BAD;
    *out = had;
    if (DBM__LIKELY(look == DBM__LOOK_GOOD)) {
        dbm__slot_taken(had, now, site);
        dbm__store(&had->holder, holder);
        return DBM_OK;
    }
    dbm__taker_init(&by, db, NULL, &signal);
    dbm__taking_init(&t, &by, site);
    t.began_us = now;
    t.u.slot = had;
    t.phase = had == NULL ? DBM__TAKE_LINE : look == DBM__LOOK_PING ? DBM__TAKE_PING : DBM__TAKE_RETIRE;
    if (had != NULL) had->way.on = false;
    if (!dbm__signal_init(&signal)) {
        dbm__taking_abandon(&t);
        *out = NULL;
        return dbm__no_memory(DBM_STAGE_CHECKOUT, db->name, site);
    }
    while ((want = dbm__taking_step(&t, heard, true, session_deadline_us)) != DBM_STEP_DONE) {
        if (want != DBM__STEP_QUEUED) {
            heard = dbm__way_wait(t.u.slot, want);
            continue;
        }
        heard = DBM_OK;
#if !DBM__THREADS
        if (!dbm__taking_withdraw(&t, now, false)) continue;
        if (pool->failures > 0) { /* there is room, but no connection could be made */
            (void)dbm__taking_done(&t, dbm__pool_failed(pool, DBM_E_CONNECT, site));
        } else {
            char block[400];
            dbm__text holders = dbm__text_in(block, sizeof block);
            dbm__pool_holders(pool, 0, &holders);
            (void)dbm__taking_done(&t, dbm__fail(DBM_E_WOULD_DEADLOCK, DBM_STAGE_CHECKOUT, db->name, site,
                "database %q: all %d connections are out and there are no other threads that could give one back; held by %s",
                db->name, pool->slot_count, block));
        }
        break;
#else
        if (!in_graph) {
            dbm_status st = dbm__graph_enter(db, &blocked, pool, NULL, site);
            in_graph = st == DBM_OK;
            if (!in_graph && dbm__taking_withdraw(&t, now, false)) { /* else served while the walk ran: no deadlock after all */
                (void)dbm__taking_done(&t, st);
                break;
            }
        }
        dbm__lock_take(&pool->lock);
        if (t.got == DBM__GOT_NOTHING) {
            int64_t until_us = dbm__earlier(dbm__taking_limit(&t), session_deadline_us);
            if (pool->retry_us != 0) until_us = dbm__earlier(until_us, dbm__taking_pause(pool, &by, dbm__now(db->host)));
            dbm__wait_until(db->host, &signal, &pool->lock, until_us);
        }
        dbm__pool_leave(pool);
#endif
    }
#if DBM__THREADS
    /* Out of the graph before it is a holder: one who waits for what it holds is a deadlock to whoever looks. */
    if (in_graph) dbm__graph_leave(db, &blocked);
#endif
    dbm__signal_free(&signal);
    *out = t.u.slot;
    if (t.status == DBM_OK) dbm__store(&t.u.slot->holder, holder);
    if (t.status == DBM_OK) dbm__self()->slot = t.u.slot->index;
    return (dbm_status)t.status;
}
