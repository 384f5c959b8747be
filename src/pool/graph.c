/* The wait graph: who waits for what, and whether that can ever end; and the struct that the databases of a manager share.
 * May call: api/, base/, pool.h.
 * Must not know: why anybody waits.
 *
 * A pool is stuck when every slot of it is held by a thread that waits for something stuck; a gate when its holder does. Since all
 * holders must be stuck, the question is whether a running holder can be reached from the resource: one walk, each pool and gate
 * once. The last one to wait sees all the others, because each enters under the lock before it waits.
 *
 * What waits in steps (dbm__taking) is not in the graph, and slots taken so are held by no thread: a loop runs on while its tasks wait, so any of them may
 * give back what it has, and nothing that one of them holds is ever proved stuck. Its tasks that wait for one another end by their deadlines. */
#include "pool.h"

DBM__FN dbm_status dbm__shared_init(dbm__shared *shared, const dbm__host *host, const dbm_options *options) {
    memset(shared, 0, sizeof *shared);
    shared->host = *host;
    if (!dbm__lock_init(&shared->graph_lock)) return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    shared->grace_us = options != NULL && options->grace_ms != 0 ? (options->grace_ms < 0 ? 0 : (int64_t)options->grace_ms * 1000) : 5000000;
    dbm__fork_watch();
    shared->fork = dbm__fork_epoch();
    return DBM_OK;
}

DBM__FN void dbm__shared_free(dbm__shared *shared) {
    while (shared->gates != NULL) {
        dbm__gate *gate = shared->gates;
        shared->gates = gate->next;
        dbm__lock_free(&gate->lock);
        dbm__free(&shared->host, gate->key);
        dbm__free(&shared->host, gate);
    }
    dbm__lock_free(&shared->graph_lock);
}

DBM__FN void dbm__shared_after_fork(dbm__shared *shared) {
    dbm__gate *gate;
    if (dbm__load_acquire(&shared->fork) == dbm__fork_epoch() || !dbm__fork_claim(&shared->fork)) return;
    (void)dbm__lock_init(&shared->graph_lock);
    shared->blocked = NULL;
    for (gate = shared->gates; gate != NULL; gate = gate->next) {
        (void)dbm__lock_init(&gate->lock);
        gate->first = gate->last = NULL;
        gate->waiting = 0;
        dbm__store(&gate->holder, 0);
        dbm__store(&gate->site, 0);
        dbm__store(&gate->word, 0);
    }
    dbm__store_release(&shared->fork, dbm__fork_epoch());
}

static const dbm__blocked *dbm__blocked_find(const dbm__shared *shared, dbm__word thread) {
    const dbm__blocked *b;
    for (b = shared->blocked; b != NULL; b = b->next) if (b->thread == thread) return b;
    return NULL;
}

static bool dbm__graph_stuck(dbm__shared *shared, dbm__word self, dbm__pool *pool, dbm__gate *gate, dbm__text *sites);

/* Whether one holder will never run again. */
static bool dbm__holder_stuck(dbm__shared *shared, dbm__word self, dbm__word holder, const char *site, dbm__text *sites) {
    const dbm__blocked *b;
    if (holder == 0) return false;
    if (holder != self) {
        b = dbm__blocked_find(shared, holder);
        if (b == NULL) return false;
        if (!dbm__graph_stuck(shared, self, b->pool, b->gate, sites)) return false;
    }
    dbm__putf(sites, "%s%s", sites->size != 0 ? ", " : "", site != NULL ? site : "?");
    return true;
}

static bool dbm__graph_stuck(dbm__shared *shared, dbm__word self, dbm__pool *pool, dbm__gate *gate, dbm__text *sites) {
    int i;
    if (gate != NULL) {
        if (gate->mark == shared->marks) return true;
        gate->mark = shared->marks;
        return dbm__holder_stuck(shared, self, dbm__load(&gate->holder), (const char *)dbm__load(&gate->site), sites);
    }
    if (pool == NULL) return false;
    if (pool->mark == shared->marks) return true;
    pool->mark = shared->marks;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        if (!dbm__holder_stuck(shared, self, dbm__load(&slot->holder), (const char *)dbm__load(&slot->site), sites)) return false;
    }
    return true;
}

DBM__FN dbm_status dbm__graph_enter(dbm_database *db, dbm__blocked *b, dbm__pool *pool, dbm__gate *gate, const char *site) {
    dbm__shared *shared = db->shared;
    char block[400];
    dbm__text sites = dbm__text_in(block, sizeof block);
    bool stuck;
    b->thread = dbm__thread_number();
    b->pool = pool;
    b->gate = gate;
    b->site = site;
    dbm__lock_take(&shared->graph_lock);
    shared->marks++;
    stuck = dbm__graph_stuck(shared, b->thread, pool, gate, &sites);
    if (!stuck) {
        b->next = shared->blocked;
        shared->blocked = b;
    }
    dbm__lock_give(&shared->graph_lock);
    if (!stuck) return DBM_OK;
    return dbm__fail(DBM_E_WOULD_DEADLOCK, DBM_STAGE_CHECKOUT, db->name, site,
                     "database %q: waiting for %s would never end: every holder waits for another one (taken at %s); end a session first, "
                     "take both in the same order everywhere, or raise pool_size",
                     db->name, gate != NULL ? "its writer's turn" : "a connection", block);
}

DBM__FN void dbm__graph_leave(dbm_database *db, dbm__blocked *b) {
    dbm__blocked **p;
    dbm__lock_take(&db->shared->graph_lock);
    for (p = &db->shared->blocked; *p != NULL; p = &(*p)->next) {
        if (*p == b) {
            *p = b->next;
            break;
        }
    }
    dbm__lock_give(&db->shared->graph_lock);
}
