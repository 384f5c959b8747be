/* Upkeep: idle connections closed down to min_idle, old ones replaced, min_idle opened ahead, leaks reported.
 * May call: api/, base/, adapter/, pool.h.
 * Must not know: who calls it: a return that found a piece due, dbm_maintain, or the upkeep thread. */
#include "pool.h"

/* Takes one idle slot that is due, highest index first, since checkouts prefer the lowest. The lock is held: one that is put back here must not be
 * missed by somebody who has just queued. */
static dbm__slot *dbm__upkeep_pick(dbm__pool *pool, int64_t now, int64_t idle_limit_us, int min_idle, bool *old) {
    int i, idle = dbm__pool_idle(pool);
    for (i = pool->slot_count - 1; i >= 0; i--) {
        dbm__slot *slot;
        bool expired, stale;
        /* Taken first, looked at then: an idle slot's fields belong to whoever takes it. */
        if (dbm__load(&dbm__pool_slot(pool, i)->state) != DBM__SLOT_IDLE || (slot = dbm__pool_try(pool, (unsigned)i)) == NULL) continue;
        if (slot->used_us == 0) slot->used_us = now;
        expired = now >= slot->expires_us;
        stale = idle_limit_us > 0 && idle > min_idle && now - slot->used_us >= idle_limit_us;
        if (expired || stale) {
            *old = expired;
            return slot;
        }
        dbm__pool_set_idle(slot);
    }
    return NULL;
}

static void dbm__upkeep_leaks(dbm__pool *pool, int64_t now, int limit_ms) {
    int i;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        const char *site = (const char *)dbm__load(&slot->site);
        dbm__word since = dbm__load(&slot->since_ms), none = 0;
        int64_t held;
        if (site == NULL) continue;
        if (since == 0) {
            dbm__cas(&slot->since_ms, &none, (dbm__word)(now / 1000) | 1u);
            continue;
        }
        held = (int64_t)((dbm__word)(now / 1000) - since);
        if (limit_ms <= 0 || held < limit_ms) continue;
        dbm__lock_take(&pool->lock);
        if (slot->leak_reported || dbm__load(&slot->since_ms) != since) {
            dbm__lock_give(&pool->lock);
            continue;
        }
        slot->leak_reported = true;
        pool->leaks_out++;
        pool->stats.leaks++;
        dbm__pool_set_slow(pool);
        dbm__lock_give(&pool->lock);
        dbm__event(pool->db->host, DBM_EVENT_LEAK, DBM_LOG_WARNING, pool->db->name, site, DBM_OK, held * 1000,
                   "a session taken at %s has been out for at least %m (leak_warning): is it ended?", site, held * 1000);
    }
}

DBM__FN void dbm__pool_upkeep(dbm__pool *pool, bool all) {
    dbm_database *db = pool->db;
    const dbm_config *config = &db->settings->config;
    int64_t now = dbm__now(db->host), idle_limit = (int64_t)config->pool.idle_timeout_ms * 1000;
    dbm__slot *slot;
    bool old = false;
    dbm__fork_look();
    if (pool->fork != dbm__fork_epoch()) dbm__pool_after_fork(pool);
    if (all || config->leak_warning_ms > 0) dbm__upkeep_leaks(pool, now, config->leak_warning_ms);
    if (db->single) return;
    for (;;) {
        dbm__lock_take(&pool->lock);
        slot = dbm__upkeep_pick(pool, now, idle_limit, config->pool.min_idle, &old);
        if (slot != NULL && old) pool->stats.recycled++;
        if (slot != NULL && !old) pool->stats.idle_closed++;
        dbm__pool_dispatch(pool, now);
        dbm__pool_leave(pool);
        if (slot == NULL) break;
        dbm__slot_retire(slot);
        if (!all) return;
    }
    if (!all) return;
    /* min_idle: opened one after the other, from here. */
    while ((slot = dbm__pool_open_begin(pool, config->pool.min_idle)) != NULL) {
        dbm_status st = dbm__slot_connect(slot, INT64_MAX);
        dbm__pool_open_end(slot, st);
        if (st != DBM_OK) return;
    }
}
