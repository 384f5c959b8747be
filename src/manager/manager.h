/* The manager: names to databases, the adapter map, the configuration's way to a database that is ready, start and shutdown.
 * May call: everything above.
 * Must not know: drivers. Adapters come in through their public tables, the built-in ones too. */
#ifndef DBM__MANAGER_H
#define DBM__MANAGER_H
#include "../session/session.h"
#include "../data/data.h"
#include "../adapters/adapters.h"

/* The databases by name, in the order they were added. Replaced as a whole when one is added, so that readers need no lock; the old ones
 * are kept until the end. */
typedef struct dbm__names {
    struct dbm__names *older;
    int count;
    dbm_database *items[1];
} dbm__names;

struct dbm_manager {
    dbm__shared *shared;             /* outlives the manager while sessions are out */
    dbm__word names;                 /* dbm__names * */
    dbm__lock lock;                  /* guards additions */
    const dbm_adapter **adapters;
    int adapter_count;
    bool use_env, own_drivers;
    bool closed;
#if DBM__THREADS && !defined(_WIN32)
    pthread_t upkeep;
#endif
    bool upkeep_running, upkeep_stop;
    dbm__word upkeep_fork;           /* the fork epoch in which the thread was started: a child has it not */
    dbm__signal upkeep_signal;
};

DBM__INLINE dbm__names *dbm__manager_names(const dbm_manager *mgr) { return (dbm__names *)dbm__load_acquire(&mgr->names); }
DBM__INLINE dbm_database *dbm__manager_find(const dbm_manager *mgr, const char *name) {
    const dbm__names *names = dbm__manager_names(mgr);
    int i;
    if (DBM__UNLIKELY(name == NULL || name[0] == 0)) name = "default";
    for (i = 0; i < names->count; i++) {
        if (names->items[i]->name[0] == name[0] && strcmp(names->items[i]->name, name) == 0) return names->items[i];
    }
    return NULL;
}
/* Initialises the adapter and the pool of a database, once. */
DBM__FN dbm_status dbm__database_ready(dbm_database *db);
DBM__FN void dbm__database_drop(dbm__shared *shared, dbm_database *db);
DBM__FN dbm_status dbm__manager_add(dbm_manager *mgr, dbm__settings **settings, size_t count);
DBM__FN void dbm__upkeep_start(dbm_manager *mgr);
DBM__FN void dbm__upkeep_end(dbm_manager *mgr);
#endif /* DBM__MANAGER_H */
