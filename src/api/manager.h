/* The manager: configuration in, databases by name out, clean shutdown.
 * May call: types.h.
 * Must not know: how a pool or a session works. */
#ifdef __cplusplus
extern "C" {
#endif

/* >>manager
 * Makes an empty manager.
 * Returns   DBM_OK and *out, or a status and *out = NULL.
 * Errors    E_NOMEM, E_MISUSE (half an allocator, a memory block too small, a bad adapter table).
 * Ownership the caller frees it with dbm_manager_free(). options (NULL: defaults) are copied.
 * Threads   any. */
DBM_API dbm_status dbm_manager_create(dbm_manager **out, const dbm_options *options);

/* Makes a manager and loads an INI file into it: dbm_manager_create() and dbm_load() in one.
 * Errors    theirs; E_NOT_COMPILED without DBM_WITH_INI. When it fails, *out is NULL and nothing is left to free. */
DBM_API dbm_status dbm_manager_load(dbm_manager **out, const char *path, const dbm_options *options);

/* Reads every [databases.NAME] section of an INI file; nothing is opened yet. See "configuration" in the manual.
 * Errors    E_CONFIG with every mistake, one a line, each with file and line; then no database of the file is added.
 *           E_NOT_COMPILED without DBM_WITH_INI, E_NOMEM.
 * Threads   any, but databases become visible at the end of the call. */
DBM_API dbm_status dbm_load(dbm_manager *mgr, const char *path);
/* The same from memory: `size` bytes, or up to the NUL when size is SIZE_MAX. Works without files. */
DBM_API dbm_status dbm_load_text(dbm_manager *mgr, const char *text, size_t size);

/* Adds one database in code: dbm_add_database(mgr, DBM_CONFIG(.name = "default", .url = "sqlite:///app.db")).
 * Errors    E_CONFIG, E_NOT_COMPILED (names the macro), E_NOMEM.
 * Ownership everything in config is copied.
 * Source    field names and defaults follow SQLAlchemy's create_engine(). */
DBM_API dbm_status dbm_add_database(dbm_manager *mgr, const dbm_config *config);

/* Opens and checks one connection of every database. One that fails is down: it stays, its checkouts try again.
 * Returns   DBM_OK, or the first failure; the others are still tried. Databases that are open already are left alone. */
DBM_API dbm_status dbm_init_all(dbm_manager *mgr);

/* The database of this name (NULL or "": "default"), its adapter initialised. It need not be up.
 * Returns   NULL when there is none: dbm_last_error() is E_UNKNOWN_NAME and lists the names there are, or why init failed.
 * Ownership the manager's, until dbm_manager_free().
 * Threads   any. */
DBM_API dbm_database *dbm_get(dbm_manager *mgr, const char *name);

/* Closes every database: no checkout succeeds any more, waiters fail with E_CLOSED, sessions that are out have grace_ms to come back and are reported with their file:line when
 * they do not. Goes on when one close fails. A second call does nothing. Sessions and calls on a loop that this thread runs, or whose worker makes this call, could not come back
 * meanwhile, in a callback or beside the loop: they are neither waited for nor reported, and go on until they end, or dbm_loop_free() ends them. Listeners go on until they are ended.
 * Returns   DBM_OK, or E_LEAKED. */
DBM_API dbm_status dbm_close_all(dbm_manager *mgr);

/* dbm_close_all(), then gives all memory back; what a session that is still out needs lives until that session ends, and what a loop needs until that is freed. In a callback, too.
 * NULL is allowed. No other call on mgr may run or follow. */
DBM_API void dbm_manager_free(dbm_manager *mgr);

/* Pings every database and calls fn for each. Needs no free connection to say that a pool is saturated.
 * Returns   DBM_OK when all answered, else the first failure. */
DBM_API dbm_status dbm_health(dbm_manager *mgr, void (*fn)(void *ud, const dbm_health_info *info), void *ud);

/* One round trip to the database, on a connection of its pool. */
DBM_API dbm_status dbm_ping(dbm_database *db);

/* The pool's numbers at this moment. */
DBM_API dbm_status dbm_stats(dbm_database *db, dbm_stats_info *out);

/* All upkeep that is due in every pool: idle and old connections closed, min_idle opened, leaks reported. Programs that are idle
 * for long call it now and then; checkout and return do at most one piece each. Any thread. */
DBM_API dbm_status dbm_maintain(dbm_manager *mgr);

/* The name a database was configured with, and the configuration in force, with every default filled in (its URL is masked). */
DBM_API const char *dbm_database_name(const dbm_database *db);
/* Whether its configuration asks for the asynchronous form: type = sqlasync, or the URL has an asynchronous driver of SQLAlchemy's (postgresql+asyncpg://,
 * mysql+aiomysql://, mysql+asyncmy://, sqlite+aiosqlite://). For programs that choose by it: both forms work on every database. */
DBM_API bool dbm_database_async(const dbm_database *db);
DBM_API const dbm_config *dbm_database_config(const dbm_database *db);

/* The adapter's own handle of a whole database ("neo4j"), or NULL and E_UNSUPPORTED when it has none or is of another type. */
DBM_API void *dbm_db_native(dbm_database *db, const char *type);

/* Whether an adapter or another part is compiled into this program: "sqlite", "ini", "async", "libuv", ... */
DBM_API bool dbm_compiled_with(const char *what);

/* >>errors
 * This thread's last failure. Never NULL; status is DBM_OK before the first. Valid until this thread's next failure. */
DBM_API const dbm_error_info *dbm_last_error(void);
/* "DBM_E_POOL_TIMEOUT", and what it means in one line. Static texts; "?" for a number that is none. */
DBM_API const char *dbm_status_name(dbm_status status);
DBM_API const char *dbm_status_text(dbm_status status);

#ifdef __cplusplus
}
#endif
