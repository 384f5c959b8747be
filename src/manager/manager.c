/* Databases in and out: registering adapters, loading configurations, finding by name, getting one ready.
 * May call: everything above manager/.
 * Must not know: what a session does. */
#include "manager.h"

/* What the linker says when two files define DBM_IMPLEMENTATION. */
#if !defined(DBM_STATIC)
extern const char dbm__only_one_file_may_define_DBM_IMPLEMENTATION;
DBM__DEF const char dbm__only_one_file_may_define_DBM_IMPLEMENTATION = 1;
#endif

/* Types that dbm.h knows by name, whether or not they are compiled in. Without a package: this version has no adapter for it. */
typedef struct dbm__builtin { const char *type, *schemes, *macro, *package; } dbm__builtin;
static const dbm__builtin dbm__builtins[] = {
    { "sqlite", "sqlite,file", "DBM_WITH_SQLITE", "libsqlite3-dev" },
    { "postgresql", "postgresql,postgres", "DBM_WITH_POSTGRESQL", "libpq-dev" },
    { "mysql", "mysql,mariadb", "DBM_WITH_MYSQL", "libmariadb-dev" },
    { "redis", "redis,rediss,unix", "DBM_WITH_REDIS", "libhiredis-dev" },
    { "mongodb", "mongodb,mongodb+srv", "DBM_WITH_MONGODB", "libmongoc-dev" }
};
enum { DBM__BUILTINS = (int)(sizeof dbm__builtins / sizeof dbm__builtins[0]) };

DBM__DEF bool dbm_compiled_with(const char *what) {
    if (what == NULL) return false;
    if (dbm__same_word(what, "sqlite")) return DBM_HAS_SQLITE != 0;
    if (dbm__same_word(what, "postgresql")) return DBM_HAS_POSTGRESQL != 0;
    if (dbm__same_word(what, "mysql") || dbm__same_word(what, "mariadb")) return DBM_HAS_MYSQL != 0;
    if (dbm__same_word(what, "redis")) return DBM_HAS_REDIS != 0;
    if (dbm__same_word(what, "mongodb")) return DBM_HAS_MONGODB != 0;
    if (dbm__same_word(what, "ini")) return DBM_HAS_INI != 0;
    if (dbm__same_word(what, "threads")) return DBM__THREADS != 0;
    if (dbm__same_word(what, "async")) return DBM_HAS_ASYNC != 0;
    if (dbm__same_word(what, "libuv")) return DBM_HAS_LIBUV != 0;
    if (dbm__same_word(what, "libev")) return DBM_HAS_LIBEV != 0;
    if (dbm__same_word(what, "libevent")) return DBM_HAS_LIBEVENT != 0;
    return false;
}

/* ---- adapters -------------------------------------------------------------------------------------------------------------- */

static const dbm_adapter *dbm__adapter_find(dbm_manager *mgr, const char *type) {
    int i;
    for (i = 0; i < mgr->adapter_count; i++) if (dbm__same_word(mgr->adapters[i]->type, type)) return mgr->adapters[i];
    return NULL;
}

static const dbm_adapter *dbm__adapter_of_scheme(dbm_manager *mgr, const char *scheme, size_t size) {
    int i;
    for (i = 0; i < mgr->adapter_count; i++) {
        const dbm_adapter *a = mgr->adapters[i];
        if (dbm__list_has(a->schemes != NULL ? a->schemes : a->type, scheme, size)) return a;
    }
    return NULL;
}

DBM__DEF dbm_status dbm_register(dbm_manager *mgr, const dbm_adapter *adapter) {
    dbm_status st;
    const dbm_adapter **more;
    const char *schemes, *scheme;
    size_t size;
    if (mgr == NULL) return dbm__fail_null("dbm_register: the manager is NULL; dbm_manager_create makes one", NULL);
    st = dbm__adapter_check(adapter);
    if (st != DBM_OK) return st;
    schemes = adapter->schemes != NULL ? adapter->schemes : adapter->type;
    dbm__lock_take(&mgr->lock);
    if (dbm__adapter_find(mgr, adapter->type) != NULL) {
        st = dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: the type %q is registered already", adapter->type);
    }
    while (st == DBM_OK && (scheme = dbm__list_next(&schemes, &size)) != NULL) {
        const dbm_adapter *other = dbm__adapter_of_scheme(mgr, scheme, size);
        if (other != NULL) st = dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: a URL scheme of %q belongs to the type %q already", adapter->type, other->type);
    }
    if (st == DBM_OK) {
        more = (const dbm_adapter **)dbm__resize(&mgr->shared->host, (void *)mgr->adapters, (size_t)(mgr->adapter_count + 1) * sizeof *more);
        if (more != NULL) {
            mgr->adapters = more;
            mgr->adapters[mgr->adapter_count++] = adapter;
        } else {
            st = dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
        }
    }
    dbm__lock_give(&mgr->lock);
    return st;
}

/* What the configuration may name: registered types, and built-in ones that are not compiled in. */
static dbm_status dbm__known_types(dbm_manager *mgr, dbm__known_type **out, size_t *count) {
    dbm__known_type *types;
    size_t n = 0;
    int i;
    dbm__lock_take(&mgr->lock);
    types = (dbm__known_type *)dbm__alloc_zero(&mgr->shared->host, sizeof *types * (size_t)(mgr->adapter_count + DBM__BUILTINS));
    if (types == NULL) {
        dbm__lock_give(&mgr->lock);
        return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    }
    for (i = 0; i < mgr->adapter_count; i++, n++) {
        types[n].type = mgr->adapters[i]->type;
        types[n].schemes = mgr->adapters[i]->schemes != NULL ? mgr->adapters[i]->schemes : mgr->adapters[i]->type;
        types[n].options = mgr->adapters[i]->options != NULL ? mgr->adapters[i]->options : "";
    }
    for (i = 0; i < DBM__BUILTINS; i++) {
        if (dbm__adapter_find(mgr, dbm__builtins[i].type) != NULL) continue;
        types[n].type = dbm__builtins[i].type;
        types[n].schemes = dbm__builtins[i].schemes;
        types[n].options = "";
        types[n].macro = dbm__builtins[i].macro;
        types[n].package = dbm__builtins[i].package;
        n++;
    }
    dbm__lock_give(&mgr->lock);
    *out = types;
    *count = n;
    return DBM_OK;
}

/* ---- names ------------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__unknown_name(dbm_manager *mgr, const char *name) {
    const dbm__names *names = dbm__manager_names(mgr);
    char block[500];
    dbm__text t = dbm__text_in(block, sizeof block);
    const char *near_one = NULL;
    int i;
    if (name == NULL || name[0] == 0) name = "default";
    for (i = 0; i < names->count; i++) {
        dbm__putf(&t, "%s%s", i != 0 ? ", " : "", names->items[i]->name);
        if (near_one == NULL) {
            const char *one = names->items[i]->name;
            near_one = dbm__nearest(name, &one, 1);
        }
    }
    return dbm__fail(DBM_E_UNKNOWN_NAME, DBM_STAGE_CONFIG, name, NULL, names->count == 0 ? "no database is named %q; none is configured: call dbm_load or dbm_add_database first"
                     : names->count == 1 ? near_one != NULL ? "no database is named %q; did you mean %q, the only one there is?" : "no database is named %q; the only one is %q"
                     : near_one != NULL ? "no database is named %q; did you mean %q? There are: %s" : "no database is named %q; there are: %s",
                     name, near_one != NULL ? near_one : names->count == 1 ? names->items[0]->name : block, block);
}

DBM__FN void dbm__database_drop(dbm__shared *shared, dbm_database *db) {
    dbm__settings_free(&shared->host, db->settings);
    dbm__free(&shared->host, db->init_error);
    dbm__lock_free(&db->init_lock);
    dbm__free(&shared->host, db);
}

/* Adds databases, all or none; takes the settings over. */
DBM__FN dbm_status dbm__manager_add(dbm_manager *mgr, dbm__settings **settings, size_t count) {
    dbm__host *host = &mgr->shared->host;
    dbm__names *old, *names;
    dbm_status st = DBM_OK;
    size_t i;
    int at;
    dbm__lock_take(&mgr->lock);
    old = dbm__manager_names(mgr);
    at = old->count;
    names = (dbm__names *)dbm__alloc_zero(host, sizeof *names + sizeof(dbm_database *) * ((size_t)old->count + count));
    if (names == NULL) st = dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    if (st == DBM_OK && mgr->closed) st = dbm__fail(DBM_E_CLOSED, DBM_STAGE_CONFIG, NULL, NULL, "the manager is closed (dbm_close_all was called): nothing can be added");
    if (st == DBM_OK) {
        memcpy(names->items, old->items, sizeof(dbm_database *) * (size_t)old->count);
        names->count = old->count;
        names->older = old;
    }
    for (i = 0; i < count && st == DBM_OK; i++) {
        dbm_database *db;
        const char *name = settings[i]->config.name;
        int j;
        for (j = 0; j < names->count && st == DBM_OK; j++) {
            if (strcmp(names->items[j]->name, name) == 0) {
                st = dbm__fail(DBM_E_CONFIG, DBM_STAGE_CONFIG, name, NULL, "%s: the database %q exists already (from %s)", settings[i]->origin, name,
                               names->items[j]->settings->origin);
            }
        }
        if (st != DBM_OK) break;
        db = (dbm_database *)dbm__alloc_zero(host, sizeof *db);
        if (db == NULL || !dbm__lock_init(&db->init_lock)) {
            dbm__free(host, db);
            st = dbm__no_memory(DBM_STAGE_CONFIG, name, NULL);
            break;
        }
        db->host = host;
        db->shared = mgr->shared;
        db->settings = settings[i];
        db->name = settings[i]->config.name;
        db->adapter = dbm__adapter_find(mgr, settings[i]->config.type);
        db->isolation = settings[i]->config.isolation;
        db->autocommit = db->isolation == DBM_AUTOCOMMIT;
        db->transactions = (db->adapter->flags & DBM_ADAPTER_TRANSACTIONS) != 0;
        db->savepoints = (db->adapter->flags & DBM_ADAPTER_SAVEPOINTS) != 0;
        db->transactions_asked = (db->adapter->flags & DBM_ADAPTER_TRANSACTIONS_ASKED) != 0;
        db->one_result = (db->adapter->flags & DBM_ADAPTER_ONE_RESULT) != 0;
        db->pipeline = (db->adapter->flags & DBM_ADAPTER_PIPELINE) != 0;
        db->replies = db->pipeline && (db->adapter->flags & DBM_ADAPTER_REPLIES) != 0;
        settings[i] = NULL;
        names->items[names->count++] = db;
    }
    if (st == DBM_OK) {
        dbm__store_release(&mgr->names, (dbm__word)names);
    } else if (names != NULL) {
        while (names->count > at) dbm__database_drop(mgr->shared, names->items[--names->count]);
        dbm__free(host, names);
    }
    dbm__lock_give(&mgr->lock);
    return st;
}

/* Adds what a file, a text or (the others are NULL) a struct configures. */
static dbm_status dbm__configure(dbm_manager *mgr, const char *path, const char *text, size_t size, const dbm_config *config) {
    dbm__host *host = &mgr->shared->host;
    dbm__known_type *types = NULL;
    dbm__settings *one = NULL;
    dbm__settings_list list;
    dbm__problems problems;
    char block[sizeof ((dbm_error_info *)0)->message];
    size_t type_count = 0, end;
    dbm_status st = dbm__known_types(mgr, &types, &type_count);
    if (st != DBM_OK) return st;
    memset(&list, 0, sizeof list);
    dbm__problems_init(&problems, host, block, sizeof block);
    if (config != NULL) st = dbm__config_make(host, config, types, type_count, &one, &problems);
    else st = dbm__config_load(host, path, text, size, types, type_count, mgr->use_env, &list, &problems);
    end = strlen(block);
    if (end != 0 && block[end - 1] == '\n') block[end - 1] = 0; /* problems are lines; a message does not end in one */
    if (problems.count != 0 && st != DBM_E_NOMEM) dbm__fail(st, DBM_STAGE_CONFIG, config != NULL ? config->name : NULL, NULL, "%s", block);
    if (st == DBM_OK) st = config != NULL ? dbm__manager_add(mgr, &one, 1) : dbm__manager_add(mgr, list.items, list.count);
    dbm__settings_free(host, one);
    dbm__settings_list_free(host, &list);
    dbm__free(host, types);
    return st;
}

DBM__DEF dbm_status dbm_load(dbm_manager *mgr, const char *path) {
    if (mgr == NULL) return dbm__fail_null("dbm_load: the manager is NULL; dbm_manager_create makes one", NULL);
    if (path == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_load: the path is NULL");
    return dbm__configure(mgr, path, NULL, 0, NULL);
}

DBM__DEF dbm_status dbm_load_text(dbm_manager *mgr, const char *text, size_t size) {
    if (mgr == NULL) return dbm__fail_null("dbm_load_text: the manager is NULL; dbm_manager_create makes one", NULL);
    if (text == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_load_text: the text is NULL");
    return dbm__configure(mgr, "(text)", text, size == SIZE_MAX ? strlen(text) : size, NULL);
}

DBM__DEF dbm_status dbm_add_database(dbm_manager *mgr, const dbm_config *config) {
    if (mgr == NULL) return dbm__fail_null("dbm_add_database: the manager is NULL; dbm_manager_create makes one", NULL);
    if (config == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_add_database: the configuration is NULL");
    return dbm__configure(mgr, NULL, NULL, 0, config);
}

/* ---- ready to serve ---------------------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__database_ready(dbm_database *db) {
    dbm_status st = DBM_OK;
    dbm__word state = dbm__load_acquire(&db->state);
    if (DBM__LIKELY(state == DBM__DB_READY)) return DBM_OK;
    dbm__lock_take(&db->init_lock);
    state = dbm__load_acquire(&db->state);
    if (state == DBM__DB_CLOSED) {
        st = dbm__fail(DBM_E_CLOSED, DBM_STAGE_CHECKOUT, db->name, NULL, "database %q is closed (dbm_close_all was called)", db->name);
    } else if (state == DBM__DB_FAILED && db->init_error != NULL && db->init_error->status == DBM_E_CONFIG) {
        st = dbm__fail_again(db->init_error); /* a configuration does not get better by itself */
    } else if (state != DBM__DB_READY) {
        bool inited = false;
        st = db->adapter->init(db);
        if (st == DBM_OK) {
            inited = true;
            st = dbm__pool_make(db, sizeof(dbm__work));
        }
        if (st == DBM_OK) {
            dbm__works_init(db);
            dbm__store_release(&db->state, DBM__DB_READY);
        } else {
            dbm_error_info *e = &dbm__self()->last;
            if (e->status != st) dbm__fail(st, DBM_STAGE_CONFIG, db->name, NULL, "database %q: the adapter %q could not be initialised: %s", db->name, db->adapter->type, dbm_status_text(st));
            if (e->database[0] == 0) dbm__copy_cut(e->database, sizeof e->database, db->name);
            if (db->init_error == NULL) db->init_error = (dbm_error_info *)dbm__alloc(db->host, sizeof *db->init_error);
            if (db->init_error != NULL) *db->init_error = *e;
            dbm__store_release(&db->state, DBM__DB_FAILED);
            if (inited) db->adapter->close(db);
            db->gate = NULL;
        }
    }
    dbm__lock_give(&db->init_lock);
    return st;
}

DBM__DEF dbm_database *dbm_get(dbm_manager *mgr, const char *name) {
    dbm_database *db;
    if (DBM__UNLIKELY(mgr == NULL)) { dbm__fail_null("dbm_get: the manager is NULL; dbm_manager_create makes one", NULL); return NULL; }
    db = dbm__manager_find(mgr, name);
    if (DBM__UNLIKELY(db == NULL)) { dbm__unknown_name(mgr, name); return NULL; }
    if (DBM__UNLIKELY(dbm__database_ready(db) != DBM_OK)) return NULL;
    return db;
}

DBM__DEF dbm_status dbm_adapter_gate(dbm_database *db, const char *key) {
    db->gate = dbm__gate_of(db->shared, key);
    return db->gate != NULL ? DBM_OK : dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
}

DBM__DEF void dbm_adapter_written(dbm_connection *c) { dbm__work_gate_leave((dbm__work *)(void *)((char *)c - offsetof(dbm__slot, connection))); }

DBM__DEF bool dbm_database_async(const dbm_database *db) { return db != NULL && db->settings->async; }
DBM__DEF const char *dbm_database_name(const dbm_database *db) { return db != NULL ? db->name : ""; }
DBM__DEF const dbm_config *dbm_database_config(const dbm_database *db) {
    if (db == NULL) { dbm__fail_null("dbm_database_config: the database is NULL; dbm_get finds one by its name", NULL); return NULL; }
    return &db->settings->config;
}

DBM__DEF void *dbm_db_native(dbm_database *db, const char *type) {
    void *native;
    if (db == NULL) { dbm__fail_null("dbm_db_native: the database is NULL; dbm_get finds one by its name", NULL); return NULL; }
    native = (void *)dbm__load(&db->native);
    if (native == NULL) native = db->data;
    if (type == NULL || !dbm__same_word(type, db->adapter->type) || native == NULL) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_NONE, db->name, NULL,
                  native == NULL ? "dbm_db_native: the database is of type %q, which has no handle of its own" : "dbm_db_native: the database is of type %q, not %q",
                  db->adapter->type, type != NULL ? type : "");
        return NULL;
    }
    return native;
}
