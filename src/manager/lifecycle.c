/* Start and end: creating a manager, opening all, health, upkeep, closing all, freeing.
 * May call: everything above manager/.
 * Must not know: how a configuration is written. */
#include "manager.h"

/* ---- creating -------------------------------------------------------------------------------------------------------------- */

static void dbm__manager_drop(dbm_manager *mgr) {
    dbm__shared *shared = mgr->shared;
    dbm__names *names = dbm__manager_names(mgr);
    while (names != NULL) {
        dbm__names *older = names->older;
        dbm__free(&shared->host, names);
        names = older;
    }
    dbm__free(&shared->host, (void *)mgr->adapters);
    dbm__signal_free(&mgr->upkeep_signal);
    dbm__lock_free(&mgr->lock);
    dbm__free(&shared->host, mgr);
}

/* The shared struct lives in memory of the host that it holds. */
static void dbm__shared_drop(dbm__shared *shared) {
    dbm__host host;
    dbm__shared_free(shared);
    host = shared->host;
    dbm__free(&host, shared);
    dbm__host_free(&host);
}

/* What is compiled in goes through the public call, as everything else does. */
static dbm_status dbm__register_builtins(dbm_manager *mgr) {
    dbm_status st = DBM_OK;
    (void)mgr;
#if DBM_HAS_SQLITE
    if (st == DBM_OK) st = dbm_register(mgr, dbm__adapter_sqlite());
#endif
#if DBM_HAS_POSTGRESQL
    if (st == DBM_OK) st = dbm_register(mgr, dbm__adapter_postgresql());
#endif
#if DBM_HAS_MYSQL
    if (st == DBM_OK) st = dbm_register(mgr, dbm__adapter_mysql());
#endif
#if DBM_HAS_REDIS
    if (st == DBM_OK) st = dbm_register(mgr, dbm__adapter_redis());
#endif
#if DBM_HAS_MONGODB
    if (st == DBM_OK) st = dbm_register(mgr, dbm__adapter_mongodb());
#endif
    return st;
}

/* opts.own_drivers: what drivers keep for the whole process goes with the manager. */
static void dbm__shutdown_drivers(void) {
#if DBM_HAS_SQLITE
    dbm__adapter_sqlite_shutdown();
#endif
#if DBM_HAS_MYSQL
    dbm__adapter_mysql_shutdown();
#endif
#if DBM_HAS_MONGODB
    dbm__adapter_mongodb_shutdown();
#endif
}

DBM__DEF dbm_status dbm_manager_create(dbm_manager **out, const dbm_options *options) {
    dbm__host host;
    dbm__shared *shared;
    dbm_manager *mgr;
    dbm__names *names;
    dbm_status st;
    size_t i;
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_manager_create: out is NULL");
    *out = NULL;
    st = dbm__host_init(&host, options);
    if (st != DBM_OK) return st;
    shared = (dbm__shared *)dbm__alloc(&host, sizeof *shared);
    mgr = (dbm_manager *)dbm__alloc_zero(&host, sizeof *mgr);
    names = (dbm__names *)dbm__alloc_zero(&host, sizeof *names);
    if (shared == NULL || mgr == NULL || names == NULL || dbm__shared_init(shared, &host, options) != DBM_OK) {
        dbm__free(&host, names);
        dbm__free(&host, mgr);
        dbm__free(&host, shared);
        dbm__host_free(&host);
        return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    }
    if (!dbm__lock_init(&mgr->lock) || !dbm__signal_init(&mgr->upkeep_signal)) {
        dbm__free(&host, names);
        dbm__free(&host, mgr);
        dbm__shared_drop(shared);
        return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    }
    mgr->shared = shared;
    shared->orphans = 1; /* the manager; its loops and sessions count too, and whoever goes last frees all */
    mgr->use_env = options == NULL || !options->no_env;
    mgr->own_drivers = options != NULL && options->own_drivers;
    dbm__store_release(&mgr->names, (dbm__word)names);
    st = dbm__register_builtins(mgr);
    for (i = 0; st == DBM_OK && options != NULL && i < options->adapter_count; i++) st = dbm_register(mgr, options->adapters[i]);
    if (st != DBM_OK) {
        dbm__manager_drop(mgr);
        dbm__shared_drop(shared);
        return st;
    }
    if (options != NULL && options->upkeep_thread) {
        dbm__upkeep_start(mgr);
        if (!mgr->upkeep_running) {
            dbm__manager_drop(mgr);
            dbm__shared_drop(shared);
            return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_CONFIG, NULL, NULL, "upkeep_thread: no thread could be started (DBM_NO_THREADS?); call dbm_maintain instead");
        }
    }
    *out = mgr;
    return DBM_OK;
}

DBM__DEF dbm_status dbm_manager_load(dbm_manager **out, const char *path, const dbm_options *options) {
    dbm_status st = dbm_manager_create(out, options);
    if (st != DBM_OK) return st;
    st = dbm_load(*out, path);
    if (st != DBM_OK) {
        dbm_error_info kept = dbm__self()->last;
        dbm_manager_free(*out);
        *out = NULL;
        dbm__self()->last = kept;
    }
    return st;
}

/* ---- opening, health ---------------------------------------------------------------------------------------------------------- */

/* Whether the adapter has connections at all; one with init and close alone has none. */
static bool dbm__database_connects(const dbm_database *db) { return db->adapter->connect != NULL || db->adapter->start != NULL; }

static dbm_status dbm__database_check(dbm_database *db, bool asks, const char *site) {
    dbm_session s;
    dbm__work *w;
    dbm_op op;
    dbm_status st;
    dbm_error_info kept;
    if (!dbm__database_connects(db)) return DBM_OK;
    st = dbm__session_open(db, NULL, NULL, DBM__KIND_CALL, site, &s);
    if (st != DBM_OK) return st;
    w = (dbm__work *)s.slot;
    if (asks) {
        dbm__op_init(&op, DBM_OP_PING, dbm__deadline(db->host, db->settings->config.connect_timeout_ms));
        st = dbm__op_run(&w->slot.connection, &op);
    }
    kept = dbm__self()->last;
    if (st != DBM_OK) w->slot.connection.broken = true;
    dbm__session_close(&s);
    return st == DBM_OK ? DBM_OK : dbm__fail_again(&kept);
}

/* The first failure of several stays. */
static void dbm__first_failure(dbm_status *result, dbm_error_info *first, dbm_status st) {
    if (st == DBM_OK || *result != DBM_OK) return;
    *result = st;
    *first = dbm__self()->last;
}

/* One step of an opening. Ends it as soon as it has an outcome: the next one's would take the place of its failure, of which a thread has one. */
static bool dbm__opening_step(dbm__slot **opening, dbm__net_item *item, dbm_status *result, dbm_error_info *first) {
    dbm__slot *slot = *opening;
    int want = dbm__connect_step(slot, item->heard, true);
    item->fd = want == DBM_STEP_TIMER ? -1 : slot->way.fd;
    item->want = want & DBM_STEP_BOTH;
    if (want != DBM_STEP_DONE) return false;
    dbm__first_failure(result, first, slot->way.status);
    dbm__pool_open_end(slot, slot->way.status);
    *opening = NULL;
    return true;
}

/* Opens one connection of each database of a batch whose adapter needs not block, side by side on one poll. */
static void dbm__open_side_by_side(dbm__slot **openings, dbm__net_item *items, int count, dbm__host *host, dbm_status *result, dbm_error_info *first) {
    int i, left = count;
    while (left > 0) {
        int64_t until = INT64_MAX;
        for (i = 0, left = 0; i < count; i++) {
            if (openings[i] == NULL) continue;
            if (openings[i]->way.until_us < until) until = openings[i]->way.until_us;
            openings[left] = openings[i];
            items[left++] = items[i];
        }
        count = left;
        if (left > 0) dbm__net_wait_many(host, items, left, until);
        for (i = 0; i < count; i++) (void)dbm__opening_step(&openings[i], &items[i], result, first);
    }
}

DBM__DEF dbm_status dbm_init_all(dbm_manager *mgr) {
    const dbm__names *names;
    dbm__host *host;
    dbm__slot **openings;
    dbm__net_item items[DBM__NET_MANY];
    bool *tried;
    dbm_error_info first;
    dbm_status st, result = DBM_OK;
    int i, opening = 0, room;
    if (mgr == NULL) return dbm__fail_null("dbm_init_all: the manager is NULL; dbm_manager_create makes one", NULL);
    names = dbm__manager_names(mgr);
    host = &mgr->shared->host;
    if (names->count == 0) return DBM_OK;
    room = names->count < DBM__NET_MANY ? names->count : DBM__NET_MANY;
    openings = (dbm__slot **)dbm__alloc_zero(host, (size_t)room * sizeof *openings + (size_t)names->count * sizeof *tried);
    if (openings == NULL) return dbm__no_memory(DBM_STAGE_CONNECT, NULL, NULL);
    tried = (bool *)(void *)(openings + room);
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        st = dbm__database_ready(db);
        if (st != DBM_OK) {
            dbm__event(db->host, DBM_EVENT_ADAPTER_FAILED, DBM_LOG_INFO, db->name, NULL, st, 0, "%s", dbm__self()->last.message);
            dbm__first_failure(&result, &first, st);
            tried[i] = true;
        } else if (dbm__pool_steps(db->pool) && (openings[opening] = dbm__pool_open_begin(db->pool, 1)) != NULL) {
            tried[i] = true;
            dbm__connect_start(openings[opening], INT64_MAX);
            items[opening].heard = DBM_OK;
            if (!dbm__opening_step(&openings[opening], &items[opening], &result, &first) && ++opening == room) {
                dbm__open_side_by_side(openings, items, opening, host, &result, &first);
                opening = 0;
            }
        }
    }
    dbm__open_side_by_side(openings, items, opening, host, &result, &first);
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        dbm_stats_info s;
        if (tried[i]) continue;
        dbm__pool_stats(db->pool, &s);
        if (s.open == 0) dbm__first_failure(&result, &first, dbm__database_check(db, !(db->adapter->flags & DBM_ADAPTER_CONNECT_ASKS), "dbm_init_all"));
    }
    dbm__free(host, openings);
    return result == DBM_OK ? DBM_OK : dbm__fail_again(&first);
}

DBM__DEF dbm_status dbm_ping(dbm_database *db) {
    dbm_status st;
    if (db == NULL) return dbm__fail_null("dbm_ping: the database is NULL; dbm_get finds one by its name", NULL);
    st = dbm__database_ready(db);
    if (st != DBM_OK) return st;
    if (!dbm__database_connects(db)) {
        return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_CONNECT, db->name, NULL, "an adapter of type %q has no connections to ping", db->adapter->type);
    }
    return dbm__database_check(db, true, "dbm_ping");
}

DBM__DEF dbm_status dbm_health(dbm_manager *mgr, void (*fn)(void *ud, const dbm_health_info *info), void *ud) {
    const dbm__names *names;
    dbm_error_info first;
    dbm_status result = DBM_OK;
    int i;
    if (mgr == NULL) return dbm__fail_null("dbm_health: the manager is NULL; dbm_manager_create makes one", NULL);
    names = dbm__manager_names(mgr);
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        dbm_health_info info;
        char text[512];
        int64_t began = dbm__now(db->host);
        info.name = db->name;
        info.type = db->adapter->type;
        info.message = "";
        info.status = dbm__database_ready(db);
        if (info.status == DBM_OK && dbm__database_connects(db)) {
            dbm_stats_info s;
            dbm__pool_stats(db->pool, &s);
            if (s.idle == 0 && s.out == s.size + s.max_overflow) {
                char block[300];
                dbm__text t = dbm__text_in(block, sizeof block);
                dbm__pool_holders(db->pool, 0, &t);
                info.status = dbm__fail(DBM_E_POOL_TIMEOUT, DBM_STAGE_CHECKOUT, db->name, NULL, "saturated: all %d connections are out, %d sessions wait; held by %s",
                                        s.out, s.waiting, block);
            } else {
                info.status = dbm__database_check(db, true, "dbm_health");
            }
        }
        info.latency_us = dbm__now(db->host) - began;
        if (info.status != DBM_OK) {
            dbm__copy_cut(text, sizeof text, dbm__self()->last.message);
            info.message = text;
            dbm__first_failure(&result, &first, info.status);
        }
        if (fn != NULL) fn(ud, &info);
    }
    return result == DBM_OK ? DBM_OK : dbm__fail_again(&first);
}

DBM__DEF dbm_status dbm_stats(dbm_database *db, dbm_stats_info *out) {
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_stats: out is NULL");
    memset(out, 0, sizeof *out);
    if (db == NULL) return dbm__fail_null("dbm_stats: the database is NULL; dbm_get finds one by its name", NULL);
    if (db->pool != NULL) dbm__pool_stats(db->pool, out);
    return DBM_OK;
}

/* ---- upkeep ---------------------------------------------------------------------------------------------------------------------- */

DBM__DEF dbm_status dbm_maintain(dbm_manager *mgr) {
    const dbm__names *names;
    int i;
    if (mgr == NULL) return dbm__fail_null("dbm_maintain: the manager is NULL; dbm_manager_create makes one", NULL);
    names = dbm__manager_names(mgr);
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        if (dbm__load_acquire(&db->state) == DBM__DB_READY && dbm__database_connects(db)) dbm__pool_upkeep(db->pool, true);
    }
    return DBM_OK;
}

#if DBM__THREADS && !defined(_WIN32)
static void *dbm__upkeep_main(void *ud) {
    dbm_manager *mgr = (dbm_manager *)ud;
    dbm__lock_take(&mgr->lock);
    while (!mgr->upkeep_stop) {
        dbm__signal_wait(&mgr->upkeep_signal, &mgr->lock, 1000000);
        if (mgr->upkeep_stop) break;
        dbm__lock_give(&mgr->lock);
        dbm_maintain(mgr);
        dbm__lock_take(&mgr->lock);
    }
    dbm__lock_give(&mgr->lock);
    return NULL;
}

DBM__FN void dbm__upkeep_start(dbm_manager *mgr) {
    mgr->upkeep_fork = dbm__fork_epoch();
    mgr->upkeep_running = pthread_create(&mgr->upkeep, NULL, dbm__upkeep_main, mgr) == 0;
}

DBM__FN void dbm__upkeep_end(dbm_manager *mgr) {
    if (!mgr->upkeep_running) return;
    mgr->upkeep_running = false;
    if (mgr->upkeep_fork != dbm__fork_epoch()) { /* the thread is the parent's, and so is the wait on the signal */
        (void)dbm__signal_init(&mgr->upkeep_signal);
        return;
    }
    dbm__lock_take(&mgr->lock);
    mgr->upkeep_stop = true;
    dbm__signal_all(&mgr->upkeep_signal);
    dbm__lock_give(&mgr->lock);
    pthread_join(mgr->upkeep, NULL);
}
#else
DBM__FN void dbm__upkeep_start(dbm_manager *mgr) { mgr->upkeep_running = false; }
DBM__FN void dbm__upkeep_end(dbm_manager *mgr) { (void)mgr; }
#endif

/* ---- closing ---------------------------------------------------------------------------------------------------------------------- */

DBM__DEF dbm_status dbm_close_all(dbm_manager *mgr) {
    const dbm__names *names;
    int64_t until;
    int i, leaked = 0;
    char block[600];
    dbm__text who = dbm__text_in(block, sizeof block);
    if (mgr == NULL) return dbm__fail_null("dbm_close_all: the manager is NULL; dbm_manager_create makes one", NULL);
    dbm__lock_take(&mgr->lock);
    if (mgr->closed) {
        dbm__lock_give(&mgr->lock);
        return DBM_OK;
    }
    mgr->closed = true;
    dbm__lock_give(&mgr->lock);
    dbm__fork_look();
    dbm__upkeep_end(mgr);
    names = dbm__manager_names(mgr);
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        dbm__lock_take(&db->init_lock);
        if (db->pool == NULL) dbm__store_release(&db->state, DBM__DB_CLOSED); /* never opened: it never will be */
        dbm__lock_give(&db->init_lock);
        if (db->pool != NULL) {
            if (dbm__load(&db->pool->fork) != dbm__fork_epoch()) dbm__pool_after_fork(db->pool);
            dbm__pool_close(db->pool);
        }
    }
    until = dbm__now(&mgr->shared->host) + mgr->shared->grace_us;
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        int out;
        if (db->pool == NULL) continue;
        out = dbm__pool_drain(db->pool, until);
        if (out > 0) {
            leaked += out;
            dbm__putf(&who, "%s%d of %q taken at ", who.size != 0 ? "; " : "", out, db->name);
            dbm__pool_holders(db->pool, DBM__HOLDER_LOOP(dbm__self()->served != 0 ? dbm__self()->served : dbm__thread_number()), &who);
            dbm__event(db->host, DBM_EVENT_CLOSE_FAILED, DBM_LOG_WARNING, db->name, NULL, DBM_E_LEAKED, 0, "%d sessions were never given back: %s", out, block);
        }
    }
    if (leaked == 0) return DBM_OK;
    return dbm__fail(DBM_E_LEAKED, DBM_STAGE_CLOSE, NULL, NULL, "%d sessions were still out after %m (grace_ms): %s", leaked, mgr->shared->grace_us, block);
}

/* Everything but the manager itself: when it goes, or when the last session that outlived it ends. */
static void dbm__shared_free_all(dbm__shared *shared) {
    dbm_manager *mgr = (dbm_manager *)shared->owner;
    const dbm__names *names = dbm__manager_names(mgr);
    bool own_drivers = mgr->own_drivers;
    int i;
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        if (db->pool != NULL) {
            dbm__works_free(db);
            dbm__pool_free(db->pool);
            db->adapter->close(db);
        }
        dbm__database_drop(shared, db);
    }
    dbm__manager_drop(mgr);
    dbm__shared_drop(shared);
    if (own_drivers) dbm__shutdown_drivers();
}

DBM__DEF void dbm_manager_free(dbm_manager *mgr) {
    dbm__shared *shared;
    const dbm__names *names;
    int i;
    if (mgr == NULL) return;
    shared = mgr->shared;
    (void)dbm_close_all(mgr);
    shared->owner = mgr;
    shared->free_all = dbm__shared_free_all;
    names = dbm__manager_names(mgr);
    for (i = 0; i < names->count; i++) {
        if (names->items[i]->pool != NULL) dbm__pool_orphan(names->items[i]->pool);
    }
    if (dbm__add(&shared->orphans, (dbm__word)0 - 1u) == 1u) dbm__shared_free_all(shared);
}
