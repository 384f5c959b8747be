/* The calls that the block macros make with a manager and a name.
 * May call: everything above manager/.
 * Must not know: anything but how a name becomes a database. */
#include "manager.h"

/* The database of a name, ready. NULL: the last failure says why, and the block is refused with it. */
static DBM__NOINLINE dbm_database *dbm__by_name_first(dbm_manager *mgr, const char *name, const char *site) {
    dbm_database *db = dbm_get(mgr, name);
    if (db == NULL) dbm__copy_cut(dbm__self()->last.site, sizeof dbm__self()->last.site, site);
    return db;
}
DBM__INLINE dbm_database *dbm__by_name(dbm_manager *mgr, const char *name, const char *site) {
    dbm_database *db;
    if (DBM__LIKELY(mgr != NULL && (db = dbm__manager_find(mgr, name)) != NULL && dbm__load_acquire(&db->state) == DBM__DB_READY)) return db;
    return dbm__by_name_first(mgr, name, site);
}

DBM__DEF dbm_session dbm__block_begin(dbm_manager *mgr, const char *name, const dbm_session_options *options, dbm_status *status, const char *site) {
    dbm_session s;
    dbm_database *db = dbm__by_name(mgr, name, site);
    if (DBM__LIKELY(db != NULL)) return dbm__block_open(db, options, status, site);
    if (options != NULL && options->status != NULL) status = options->status;
    dbm__session_refused(&s, status, dbm__self()->last.status, DBM__KIND_BLOCK);
    return s;
}

DBM__DEF dbm_session dbm__auto_begin(dbm_manager *mgr, const char *name, dbm_status *status, const char *site) {
    dbm_session s;
    dbm_database *db = dbm__by_name(mgr, name, site);
    if (db != NULL) dbm__session_open(db, NULL, status, DBM__KIND_AUTO, site, &s);
    else dbm__session_refused(&s, status, dbm__self()->last.status, DBM__KIND_AUTO);
    return s;
}

DBM__DEF dbm_session dbm__retry_begin(dbm_manager *mgr, const char *name, const dbm_session_options *options, int attempts, const char *site) {
    dbm_session s;
    dbm_database *db = dbm__by_name(mgr, name, site);
    if (db != NULL) return dbm__retry_begin_on(db, options, attempts, site);
    dbm__session_refused(&s, options != NULL ? options->status : NULL, dbm__self()->last.status, DBM__KIND_BLOCK);
    return s;
}
