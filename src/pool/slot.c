/* A slot's connection: connect, ping and reset in steps, the one connection of a SHARED adapter, replacing, retiring, opening ahead of need.
 * May call: api/, base/, adapter/, pool.h.
 * Must not know: who wants the slot, sessions, SQL. */
#include "pool.h"

/* ---- connections ---------------------------------------------------------------------------------------------------- */

/* Closes the shared connection when nobody uses it and it broke, or the pool closes. One at a time works on it: shared_busy. */
DBM__FN void dbm__shared_close(dbm__pool *pool, dbm_disconnect how) {
    bool mine;
    dbm__lock_take(&pool->lock);
    mine = pool->shared.open && pool->shared_users == 0 && !pool->shared_busy && (dbm__load(&pool->shared_dead) != 0 || pool->state != DBM__POOL_OPEN);
    if (mine) pool->shared_busy = true;
    dbm__pool_leave(pool);
    if (!mine) return;
    dbm__connection_close(&pool->shared, how);
    dbm__lock_take(&pool->lock);
    dbm__store(&pool->shared_dead, 0);
    pool->shared_busy = false;
    dbm__signal_all(&pool->drained);
    dbm__pool_leave(pool);
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
    dbm__pool_leave(pool);
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
    dbm__pool_leave(pool);
}

/* Ends a slot's connection. No lock is held. */
DBM__FN void dbm__slot_disconnect(dbm__slot *slot, dbm_disconnect how) {
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
        dbm__pool_leave(pool);
        dbm__shared_close(pool, how);
    } else {
        dbm__connection_close(c, how);
    }
    c->broken = c->readers_block = false;
    dbm__event(pool->db->host, DBM_EVENT_DISCONNECTED, DBM_LOG_DEBUG, pool->db->name, NULL, DBM_OK, 0, "a connection was closed");
}

/* After a connect of any kind: what a new connection needs, or what is said of one that failed. */
static dbm_status dbm__slot_connected(dbm__slot *slot, dbm_status st, int64_t began, int64_t limit) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    const dbm_config *config = &db->settings->config;
    dbm_connection *c = &slot->connection;
    if (st == DBM_OK) {
        c->open = c->connecting = true;
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

/* ---- in steps -------------------------------------------------------------------------------------------------------- */

DBM__FN int dbm__way_step(dbm__slot *slot, dbm_op_kind kind, int64_t deadline_us, dbm_status heard, bool may_block) {
    dbm__way *way = &slot->way;
    dbm_connection *c = &slot->connection;
    if (!dbm__pool_steps(slot->pool)) {
        if (!may_block) return DBM__STEP_BLOCKS;
        dbm__op_init(&way->op, kind, deadline_us);
        way->status = dbm__op_run(c, &way->op);
        return DBM_STEP_DONE;
    }
    if (way->on) {
        dbm__running_heard(&way->running, heard);
    } else {
        dbm__op_init(&way->op, kind, deadline_us);
        way->op.sent_affected = way->op.sent_last_id = -1;
        c->reported = false;
        way->on = true;
        dbm__running_start(&way->running, c, &way->op);
    }
    if (way->running.want != DBM_STEP_DONE) {
        way->fd = way->running.want == DBM_STEP_TIMER ? -1 : way->op.fd;
        way->until_us = dbm__running_until(&way->running);
        return (int)way->running.want;
    }
    way->on = false;
    way->status = dbm__op_end(c, &way->op, way->op.status);
    return DBM_STEP_DONE;
}

DBM__FN dbm_status dbm__way_wait(dbm__slot *slot, int want) {
    dbm__host *host = slot->pool->db->host;
    return want == DBM__STEP_BLOCKS ? DBM_OK : dbm__net_wait(host, slot->way.fd, want & DBM_STEP_BOTH, slot->way.until_us);
}

DBM__FN void dbm__way_drop(dbm__slot *slot) {
    dbm__way *way = &slot->way;
    slot->connection.broken = true;
    if (!way->on) return;
    dbm__running_give_up(&way->running, DBM_E_CANCELLED, "given up");
    way->on = false;
    (void)dbm__op_end(&slot->connection, &way->op, way->op.status);
}

enum { DBM__CONNECT_NEW, DBM__CONNECT_RUNNING, DBM__CONNECT_MADE };

DBM__FN void dbm__connect_start(dbm__slot *slot, int64_t deadline_us) {
    dbm__way *way = &slot->way;
    way->phase = DBM__CONNECT_NEW;
    way->on = false;
    way->heard = DBM_OK;
    way->began_us = dbm__now(slot->pool->db->host);
    way->limit_us = way->began_us + (int64_t)slot->pool->db->settings->config.connect_timeout_ms * 1000;
    if (way->limit_us > deadline_us) way->limit_us = deadline_us;
}

/* The connect of a SHARED adapter is one for all slots, and the first one's to make. */
static dbm_status dbm__shared_connect(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    dbm_connection *c = &slot->connection;
    bool connect = true;
    dbm_status st = dbm__shared_join(pool, slot->way.limit_us, &connect);
    if (st == DBM_OK && connect) {
        dbm__op_init(&slot->way.op, DBM_OP_CONNECT, slot->way.limit_us);
        pool->shared.broken = false;
        pool->shared.connecting = true;
        st = dbm__op_run(&pool->shared, &slot->way.op);
        pool->shared.connecting = false;
        dbm__credentials_drop(&pool->shared);
        dbm__shared_joined(pool, st == DBM_OK);
    }
    if (st == DBM_OK) {
        c->data = pool->shared.data;
        c->broken = false;
    }
    return st;
}

DBM__FN int dbm__connect_step(dbm__slot *slot, dbm_status heard, bool may_block) {
    dbm__way *way = &slot->way;
    dbm_connection *c = &slot->connection;
    const char *init_sql = slot->pool->db->settings->config.init_sql;
    dbm_status st = DBM_OK;
    if (way->phase == DBM__CONNECT_NEW && dbm__pool_shared(slot->pool)) {
        if (!may_block) return DBM__STEP_BLOCKS;
        st = dbm__shared_connect(slot);
    } else if (way->phase != DBM__CONNECT_MADE) {
        int want;
        /* The system's resolver blocks, and drivers call it: for the first host at the start, for others in whichever step comes to them. */
        if (!may_block && slot->pool->names > (way->phase == DBM__CONNECT_NEW ? 0 : 1)) {
            way->heard = heard;
            return DBM__STEP_BLOCKS;
        }
        if (heard == DBM_OK) heard = way->heard;
        way->heard = DBM_OK;
        c->broken = false;
        c->connecting = true;
        want = dbm__way_step(slot, DBM_OP_CONNECT, way->limit_us, heard, may_block);
        if (want != DBM__STEP_BLOCKS) way->phase = DBM__CONNECT_RUNNING;
        if (want != DBM_STEP_DONE) return want;
        st = way->status;
        c->connecting = false;
        dbm__credentials_drop(c);
        way->phase = DBM__CONNECT_MADE;
        if (st == DBM_OK && !may_block && init_sql != NULL && init_sql[0] != 0) return DBM__STEP_BLOCKS;
    }
    way->status = dbm__slot_connected(slot, st, way->began_us, way->limit_us);
    return DBM_STEP_DONE;
}

/* One physical connect. No lock is held; the slot is ours. */
DBM__FN dbm_status dbm__slot_connect(dbm__slot *slot, int64_t deadline_us) {
    dbm_status heard = DBM_OK;
    int want;
    dbm__connect_start(slot, deadline_us);
    while ((want = dbm__connect_step(slot, heard, true)) != DBM_STEP_DONE) heard = dbm__way_wait(slot, want);
    return slot->way.status;
}

DBM__FN void dbm__connect_drop(dbm__slot *slot) {
    dbm_connection *c = &slot->connection;
    if (slot->way.phase == DBM__CONNECT_RUNNING) dbm__way_drop(slot);
    c->open = slot->way.phase == DBM__CONNECT_MADE;
    c->broken = c->open;
    c->connecting = false;
    dbm__credentials_drop(c);
    dbm__slot_disconnect(slot, DBM_DISCONNECT_BROKEN);
    c->broken = false;
}

/* ---- the ends of a connection ------------------------------------------------------------------------------------------- */

DBM__FN void dbm__slot_retire(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    bool broken = slot->connection.broken;
    dbm__slot_disconnect(slot, broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
    dbm__lock_take(&pool->lock);
    pool->open--;
    pool->stats.disconnects++;
    if (broken) pool->stats.broken++;
    slot->reset_full = false;
    dbm__slot_to_empty(slot);
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, dbm__now(pool->db->host));
    dbm__pool_leave_in(pool);
}

DBM__FN void dbm__reconnect_begin(dbm__slot *slot, int64_t deadline_us) {
    dbm__pool *pool = slot->pool;
    bool was_open = slot->connection.open; /* not, when an earlier reconnect failed */
    dbm__pool_suspect(pool);
    dbm__slot_disconnect(slot, DBM_DISCONNECT_BROKEN);
    dbm__lock_take(&pool->lock);
    if (was_open) {
        pool->open--;
        pool->stats.disconnects++;
        pool->stats.broken++;
    }
    pool->connecting++; /* over the permit for once: this session has its place already */
    dbm__pool_leave(pool);
    dbm__connect_start(slot, deadline_us);
}

/* What came of a connect, under the lock: counted, and told to who waits. */
static void dbm__connect_told(dbm__pool *pool, dbm_status st, bool *came_up, bool *went_down) {
    int64_t now = dbm__now(pool->db->host);
    pool->connecting--;
    *came_up = st == DBM_OK && dbm__pool_connected(pool);
    if (st != DBM_OK) {
        dbm__pool_connect_failed(pool, &dbm__self()->last, now, went_down);
        dbm__pool_set_slow(pool);
    }
    dbm__pool_dispatch(pool, now);
}

DBM__FN dbm_status dbm__reconnect_end(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    dbm_status st = slot->way.status;
    bool went_down = false, came_up;
    dbm__lock_take(&pool->lock);
    if (st != DBM_OK) slot->connection.broken = true; /* the slot comes back without a connection */
    dbm__connect_told(pool, st, &came_up, &went_down);
    dbm__pool_leave(pool);
    dbm__pool_turned(pool, came_up, went_down, NULL);
    return st;
}

DBM__FN dbm_status dbm__pool_reconnect(dbm__slot *slot, int64_t deadline_us) {
    dbm__reconnect_begin(slot, deadline_us);
    (void)dbm__slot_connect(slot, deadline_us);
    return dbm__reconnect_end(slot);
}

DBM__FN void dbm__pool_suspect(dbm__pool *pool) {
    dbm__store(&pool->suspect_ms, (dbm__word)(dbm__now(pool->db->host) / 1000));
}

/* ---- opening ahead of need ---------------------------------------------------------------------------------------------- */

DBM__FN dbm__slot *dbm__pool_open_begin(dbm__pool *pool, int idle_wanted) {
    dbm__slot *slot = NULL;
    int64_t now = dbm__now(pool->db->host);
    dbm__lock_take(&pool->lock);
    if (pool->state == DBM__POOL_OPEN && dbm__pool_idle(pool) < idle_wanted && pool->open + pool->connecting < pool->size
        && pool->connecting < pool->max_connecting && now >= pool->retry_us) {
        slot = dbm__pool_pick_empty(pool);
    }
    if (slot != NULL) pool->connecting++;
    dbm__pool_leave(pool);
    return slot;
}

DBM__FN void dbm__pool_open_end(dbm__slot *slot, dbm_status st) {
    dbm__pool *pool = slot->pool;
    bool went_down = false, came_up, closing;
    dbm__lock_take(&pool->lock);
    closing = st == DBM_OK && pool->state != DBM__POOL_OPEN;
    if (st != DBM_OK) dbm__slot_to_empty(slot);
    else if (!closing) dbm__pool_set_idle(slot);
    dbm__connect_told(pool, st, &came_up, &went_down);
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    dbm__pool_leave(pool);
    dbm__pool_turned(pool, came_up, went_down, NULL);
    if (closing) dbm__slot_retire(slot);
}
