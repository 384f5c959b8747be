/* dbm.h 0.1.0: one C header that manages all of a program's databases. MIT licence or public domain, at your choice (at the end).
 *
 * GENERATED from src/ by amalgamate.py, content 0c723fce5ad6b327: edit src/, not this file.
 *
 * DO THIS, in one .c file of the program, before any system header; the other files only include "dbm.h":
 *
 *     #define DBM_IMPLEMENTATION
 *     #define DBM_WITH_SQLITE    // link with -lsqlite3
 *     #define DBM_WITH_INI       // link with -linih
 *     #include "dbm.h"
 *
 * and link with -lpthread where the C library does not hold the threads.
 *
 *
 * CONTENTS: search for the tag
 *
 *     in this comment      STEP BY STEP, OPTIONS, CONFIGURATION, URLS, LEAVING A SESSION, POOLS AND THREADS, ERRORS, MEMORY,
 *                          WRITING AN ADAPTER, EMBEDDED
 *     >>status >>error     every status; what is told about a failure
 *     >>values             types of values                          >>making-values  values with a type of their own
 *     >>config             databases, pools and managers in code    >>events         what happens, by number
 *     >>manager            load, add, open, close, look             >>errors         the last failure, names of statuses
 *     >>session            what a session is                        >>blocks         DBM_SESSION and the other blocks
 *     >>by-hand            begin and end without a block            >>statements     run SQL
 *     >>prepared           statements kept by a handle              >>rows           read rows
 *     >>models             structs and tables                       >>adapter        a backend of your own
 *
 *
 * dbm.h DOES NOT
 *
 *     - write SQL for you: models cover one table and its key, all else is the SQL of your database
 *     - migrate schemas: a table that exists is never altered
 *     - start threads, install signal handlers, or touch the locale, unless asked for the one upkeep thread
 *     - hide which database it is: SQL, types and locking are the backend's own; differences are told, not papered over
 *     - contain PostgreSQL, MySQL, Redis, MongoDB or an asynchronous half in this version: naming one in a configuration is a
 *       clear error. SQLite is built in, other backends come by dbm_register()
 *     - call abort(), exit() or setjmp(); a mistake of the program is a status with a message
 *
 *
 * STEP BY STEP
 *
 *     #define DBM_IMPLEMENTATION
 *     #define DBM_WITH_SQLITE
 *     #include "dbm.h"
 *     #include <stdio.h>
 *
 *     int main(void) {
 *         dbm_manager *mgr = NULL;
 *         if (dbm_manager_create(&mgr, NULL) != DBM_OK ||      // or dbm_manager_load(&mgr, "integration.ini", NULL)
 *             dbm_add_database(mgr, DBM_CONFIG(.name = "default", .url = "sqlite:///:memory:")) != DBM_OK ||
 *             dbm_init_all(mgr) != DBM_OK)                     // opens and checks one connection of each
 *             return fprintf(stderr, "%s\n", dbm_last_error()->message), dbm_manager_free(mgr), 1;
 *
 *         // Checks out, begins; commits at its end and gives back. Errors stick: no `if` after each call.
 *         DBM_SESSION(mgr, "default", s) {
 *             dbm_exec(s, "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, age INTEGER)");
 *             dbm_exec(s, "INSERT INTO users(name, age) VALUES (?, ?)", "Ada", 36);
 *             DBM_EACH(s, row, "SELECT id, name FROM users WHERE age > ?", 18) {
 *                 int64_t id;
 *                 const char *name;
 *                 dbm_scan(row, &id, &name);
 *                 printf("%ld %s\n", (long)id, name);
 *             }
 *         }
 *         DBM_FAILED(err) fprintf(stderr, "%s\n", err->message);
 *         // Drains, closes all, reports leaks.
 *         dbm_manager_free(mgr);
 *         return 0;
 *     }
 *
 *
 * OPTIONS
 *
 * Give them by -D, by #define before the include, or in dbm_config.h, which is found as <dbm_config.h>, then beside dbm.h. That file
 * describes each in full. "implementation": only the file with DBM_IMPLEMENTATION needs it; "everywhere": all files, with the same value.
 * No option changes a public struct, enum or prototype, except DBM_API, DBM_STATIC and DBM_PREFIX, which are about linkage.
 *
 *     DBM_IMPLEMENTATION   one file         this file holds the code
 *     DBM_WITH_SQLITE      implementation   SQLite: sqlite3.h 3.24 or newer (Debian libsqlite3-dev), -lsqlite3
 *     DBM_WITH_POSTGRESQL  implementation   PostgreSQL: libpq-fe.h 12 or newer (Debian libpq-dev), -lpq
 *     DBM_WITH_MYSQL       implementation   MySQL and MariaDB: mysql.h (Debian libmariadb-dev), -lmariadb or -lmysqlclient
 *     DBM_WITH_REDIS       implementation   Redis: hiredis/hiredis.h 0.14 or newer (Debian libhiredis-dev), -lhiredis
 *     DBM_WITH_MONGODB     implementation   MongoDB: mongoc/mongoc.h 1.17 or newer (Debian libmongoc-dev), -lmongoc-1.0 -lbson-1.0
 *     DBM_WITH_INI         implementation   INI files: ini.h (Debian libinih-dev), -linih
 *     DBM_WITH_ALL         implementation   all of these that are not 0 by name
 *     DBM_NO_THREADS       implementation   no locks, atomics, thread-locals: one thread calls (by itself with tcc and without a system)
 *     DBM_NO_STDIO         implementation   no stdio.h: no files, no log to stderr
 *     DBM_NO_ENV           implementation   the environment is not read
 *     DBM_NO_FLOAT         implementation   no floating-point arithmetic: doubles can't be bound or read
 *     DBM_NO_LOG_TEXT      implementation   events keep their numbers and lose their texts
 *     DBM_NO_ATOMICS       implementation   a lock instead of atomic instructions
 *     DBM_NO_CLEANUP       everywhere       blocks without __attribute__((cleanup)): leave them by DBM_RETURN and DBM_GOTO
 *     DBM_NO_GENERIC       everywhere       calls without _Generic: values by dbm_int() and its fellows, databases by DBM_ON(db)
 *     DBM_NO_CONFIG        everywhere       no dbm_config.h is looked for; by -D or before the include
 *     DBM_CONFIG_FILE      everywhere       another file in its place, with quotes or brackets; by -D or before the include
 *     DBM_MALLOC           implementation   malloc(size), with the next two: the default allocator
 *     DBM_REALLOC          implementation   realloc(block, size)
 *     DBM_FREE             implementation   free(block)
 *     DBM_CLOCK_US         implementation   DBM_CLOCK_US(): monotonic microseconds, an int64_t
 *     DBM_ASSERT           implementation   DBM_ASSERT(condition): checks of dbm.h on itself
 *     DBM_API              everywhere       what stands before each public function
 *     DBM_STATIC           one file         a private copy, with DBM_IMPLEMENTATION in the same file
 *     DBM_PREFIX           everywhere       another prefix for every exported symbol
 *
 * A DBM_WITH_ option may be empty or 1 (on), or 0 (off).
 *
 *
 * CONFIGURATION
 *
 * One INI section a database, [databases.NAME]; or dbm_add_database(mgr, DBM_CONFIG(.url = ...)), whose fields are these, with zero as the
 * default, times in milliseconds, and -1 as "never" or "none". In a file 0 is zero; times are 30s, 500ms, 10min, 1h, 2d, or seconds.
 *
 *     key                   default        meaning
 *     url                   -              where the database is
 *     type                  -              the adapter; may be left out, the URL's scheme says it
 *     pool_size             5              connections that stay open once opened, 1 to 1000
 *     max_overflow          10             opened on top under load, closed on return
 *     max_connections       -              short for pool_size = n with max_overflow = 0
 *     pool_timeout          30s            how long a checkout waits, all of it; 0: not at all
 *     pool_recycle          1800s          replaced when older, less up to 10 %; -1: never; never for SQLite
 *     pool_pre_ping         true           how an idle connection is checked: true, always, false
 *     pool_reset_on_return  rollback       rollback, commit, none, full
 *     min_idle              0              opened ahead by dbm_maintain()
 *     idle_timeout          10min          closed when idle longer, down to min_idle; -1: never
 *     isolation_level       -              READ UNCOMMITTED, READ COMMITTED, REPEATABLE READ, SERIALIZABLE, AUTOCOMMIT
 *     connect_timeout       5s             one physical connect
 *     statement_timeout     0              one statement; 0: none
 *     socket_timeout        0              longest silence while a reply is awaited; 0: none
 *     tcp_keepalive         60s            0 or -1: off
 *     tcp_user_timeout      30s            0 or -1: off
 *     statement_cache       64             prepared statements kept per connection; 0: none
 *     leak_warning          0              a session that is out longer is reported with its file:line; 0: off
 *     echo                  false          log statements: false, true, values
 *     tls                   -              off, prefer, require, verify-ca, verify-full
 *     tls_ca                -              paths
 *     tls_cert              -
 *     tls_key               -
 *     init_sql              -              statements run on each new connection
 *     row_buffer            64m            bytes that one query may put aside
 *     busy_timeout          5s             SQLite: how long another process is waited for
 *     foreign_keys          true           SQLite
 *     journal_mode          auto           SQLite: auto is WAL for a new file; an existing one keeps its mode
 *     synchronous           full           SQLite: full, off, normal, extra
 *     cache_size            -              SQLite: pages, or KiB when negative
 *
 * A comment begins at a ; or # at the start of a line, and behind a value at a blank and a ; (never in init_sql). An indented line continues
 * the value above it. ${NAME} and ${NAME:-default} are replaced from the environment, $$ is one $. DBM__DATABASES__NAME__KEY in the
 * environment overrides a key. All mistakes are reported at once, with file, line, key and what was expected.
 *
 *
 * URLS
 *
 *     sqlite:///app.db                    a file, relative to the current directory
 *     sqlite:////var/lib/app.db           an absolute path; on Windows sqlite:///C:/dir/app.db
 *     sqlite:///:memory:                  one connection, gone when the database is closed
 *     sqlite:///app.db?mode=ro            parameters: mode, cache, immutable, vfs, nolock, psow, and the keys of SQLite above
 *     neo4j://user:password@host/name     what an adapter of your own registers: percent-encoded, masked in every message
 *
 *
 * LEAVING A SESSION
 *
 * return rolls back; say dbm_commit(s) first.
 *
 *     the block is left by      all calls succeeded           a call failed     without a transaction (.autocommit, or the backend has none)
 *     its end, continue         commit                        rollback          each call stands alone; status: the first failure
 *     break, return, goto,      rollback; E_LEFT_EARLY and    rollback          nothing is undone; status: OK or the first failure
 *       a C++ exception           a warning with file:line
 *                                 if writes were dropped
 *     any, after dbm_commit(s)  what was asked                what was asked    -
 *       or dbm_rollback(s)
 *
 * Whatever happens, the connection goes back to its pool exactly once. When the checkout fails the body does not run. The reliable report is
 * the caller's own status: DBM_SESSION_RC(mgr, "default", s, &rc). DBM_FAILED(err) looks at the last block that ended on this thread.
 * A block inside another one of the same database joins it as a savepoint. Where there is no cleanup attribute (tcc, MSVC's C) return and
 * goto out of a block must be DBM_RETURN(s, value) and DBM_GOTO(s, label), and out of a DBM_EACH alone DBM_RETURN(row, value).
 *
 *
 * POOLS AND THREADS
 *
 * Managers and databases may be used from all threads; a session belongs to one thread at a time, and only dbm_cancel() may come from
 * another, through a copy of its value. A checkout takes an idle connection without a lock; when all are out it waits in line until
 * pool_timeout, and the error then says who holds them, since when, at which file:line. A wait that could never end, because every holder
 * waits too, is E_WOULD_DEADLOCK at once. Closed, old or broken connections are replaced by checkouts, returns, and dbm_maintain().
 * A configured database never disappears: one that is down is tried again by the next checkout, after pauses of 50 to 500 ms.
 *
 * SQLite: writers of one file take turns in a queue, in all databases of the manager; a session whose first statement writes, or which has
 * .write, waits for its turn. One that has read first does not wait: if another one wrote since, it is E_SERIALIZATION, and DBM_RETRY runs it
 * again. After fork() the child's sessions are E_FORKED, and its next checkout opens its own connection.
 *
 *
 * ERRORS
 *
 * Every call that can fail returns a dbm_status. dbm_last_error() tells this thread's last failure: status, stage, constraint, SQLSTATE, native
 * code, retryable, database, file:line, message. Failures stick to their session: later statements answer the same and are not sent.
 *
 *      0  DBM_OK                 success
 *      1  DBM_DONE               no more rows
 *      2  DBM_ROLLED_BACK        rolled back, because that was asked or because the block was left early without writes
 *      3  DBM_E_NOT_FOUND        no row matched
 *      4  DBM_E_MISUSE           the call is not allowed here
 *      5  DBM_E_RANGE            a value does not fit its type, or a count differs
 *      6  DBM_E_LIMIT            a configured limit was reached
 *      7  DBM_E_NOMEM            out of memory
 *      8  DBM_E_CONFIG           the configuration is wrong
 *      9  DBM_E_UNKNOWN_NAME     no database, table or column has this name
 *     10  DBM_E_NOT_COMPILED     this backend is not compiled in
 *     11  DBM_E_UNSUPPORTED      the backend cannot do this
 *     12  DBM_E_CONNECT          the database could not be reached or opened
 *     13  DBM_E_AUTH             the database refused the user or the password
 *     14  DBM_E_TLS              the encrypted connection could not be made
 *     15  DBM_E_POOL_TIMEOUT     no connection became free within pool_timeout
 *     16  DBM_E_WOULD_DEADLOCK   waiting for this connection could never end
 *     17  DBM_E_TIMEOUT          the deadline passed
 *     18  DBM_E_CANCELLED        cancelled by dbm_cancel
 *     19  DBM_E_CLOSED           the database was closed by dbm_close_all or dbm_manager_free
 *     20  DBM_E_FORKED           the session was open when the process forked and belongs to the parent
 *     21  DBM_E_LOST             the connection was lost
 *     22  DBM_E_SQL              the database refused the statement
 *     23  DBM_E_CONSTRAINT       a constraint was violated
 *     24  DBM_E_SERIALIZATION    another transaction changed the data first; the transaction can be run again
 *     25  DBM_E_DEADLOCK         the database broke a deadlock by ending this transaction; it can be run again
 *     26  DBM_E_READ_ONLY        the database or the session is read-only
 *     27  DBM_E_ROLLED_BACK      the database rolled back instead of committing
 *     28  DBM_E_LEFT_EARLY       the block was left before its end and its writes were rolled back
 *     29  DBM_E_IMPLICIT_COMMIT  the database committed by itself, as it does at DDL
 *     30  DBM_E_IN_DOUBT         the connection was lost while committing: done or not done, nobody can tell from here
 *     31  DBM_E_LEAKED           sessions were still out when the grace period ended
 *
 *
 * MEMORY
 *
 * All memory comes from one allocator: malloc, DBM_MALLOC and its fellows, dbm_options.allocator, or the block dbm_options.memory. Checkout, cached
 * statements, reading rows and return allocate nothing once they are warm. Configurations are copied. Texts of a row live until the next
 * row, of dbm_query_one() until the session's next statement; values that are passed to a call must live until it returns. The one thing to
 * give back by hand is what dbm_query_all() returns: dbm_free().
 *
 *
 * WRITING AN ADAPTER
 *
 *     static const dbm_adapter stars = {
 *         .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION,
 *         .type = "stars", .schemes = "stars", .options = "catalogue",
 *         .init = stars_init,       // required: checks the configuration
 *         .close = stars_close,     // required
 *         .connect = stars_connect, .disconnect = stars_disconnect,
 *         .execute = stars_execute, .fetch = stars_fetch, .column = stars_column,
 *     };
 *     dbm_register(mgr, &stars);
 *
 * dbm_register() comes before the dbm_load() or dbm_add_database() that names the type.
 * Each entry beyond the required ones adds a capability; DBM_E_UNSUPPORTED from an entry is emulated or refused with a clear error. execute
 * serves every kind of operation that has no entry of its own. start and step take the place of execute and fetch for drivers that need
 * not block. dbm_adapter_fail() reports in the driver's words. No entry is called under a lock. See >>adapter.
 *
 *
 * EMBEDDED
 *
 *     #define DBM_IMPLEMENTATION
 *     #define DBM_WITH_SQLITE
 *     #define DBM_NO_THREADS
 *     #define DBM_NO_STDIO
 *     #define DBM_NO_ENV
 *     #define DBM_NO_LOG_TEXT
 *     #define DBM_CLOCK_US() board_clock_us()    // its prototype above
 *     #include "dbm.h"
 *
 * dbm_options.memory and memory_size hold everything that dbm.h allocates; SQLite has its own (SQLITE_CONFIG_HEAP). Databases come from
 * dbm_add_database(), or from dbm_load_text() with DBM_WITH_INI. `amalgamate.py --bundle sqlite3.c` makes one file of it all. Call
 * dbm_maintain() now and then. Without threads an exhausted pool is E_WOULD_DEADLOCK at once.
 */
/* --- end src/api/manual.h --- */
/* --- begin src/api/api.h --- */
/* The public surface, in reading order. dbm.h begins with these files; the split build includes this one.
 * May call: nothing.
 * Must not know: anything of the implementation. */
#ifndef DBM_DATABASE_MANAGER_H
#define DBM_DATABASE_MANAGER_H
/* --- begin src/api/features.h --- */
/* What the system headers must be asked for, before the first of them is included.
 * May call: nothing.
 * Must not know: anything else. */
#if defined(DBM_IMPLEMENTATION) || defined(DBM__SPLIT_BUILD)
#  if defined(__unix__) || defined(__unix) || defined(__HAIKU__)
#    if defined(__GLIBC__) && !defined(__USE_POSIX199309)
#      error "dbm: a system header came before dbm.h in the file with DBM_IMPLEMENTATION. Give that its own file, with dbm.h first, or add -D_XOPEN_SOURCE=700"
#    endif
#    if !defined(_GNU_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(__FreeBSD__) && !defined(__NetBSD__)
#      if !defined(_POSIX_C_SOURCE)
#        define _POSIX_C_SOURCE 200809L
#      endif
#      if !defined(_XOPEN_SOURCE)
#        define _XOPEN_SOURCE 700
#      endif
#    endif
#  endif
#endif
/* --- end src/api/features.h --- */
/* --- begin src/api/options.h --- */
/* Compile-time switches: what a user may define, brought to 0 or 1 in one place.
 * May call: nothing. The names are listed for users in dbm_config.h and in the manual; a test compares the three.
 * Must not know: what any switch is for. Other files test DBM_HAS_x and DBM__x, never DBM_WITH_x. */

/* The user's own choices, in a file: <dbm_config.h> by -I first, then beside dbm.h, or as DBM_CONFIG_FILE says. */
#if !defined(DBM_NO_CONFIG)
#  if defined(DBM_CONFIG_FILE)
#    include DBM_CONFIG_FILE
#  elif defined(__has_include)
#    if __has_include(<dbm_config.h>)
#      include <dbm_config.h>
#    elif __has_include("dbm_config.h")
#      include "dbm_config.h"
#    endif
#  endif
#endif

/* Near spellings mean what they look like. */
#if defined(DBM_WITH_SQLITE3) && !defined(DBM_WITH_SQLITE)
#  define DBM_WITH_SQLITE DBM_WITH_SQLITE3
#endif
#if defined(DBM_WITH_POSTGRES) && !defined(DBM_WITH_POSTGRESQL)
#  define DBM_WITH_POSTGRESQL DBM_WITH_POSTGRES
#endif
#if defined(DBM_WITH_PG) && !defined(DBM_WITH_POSTGRESQL)
#  define DBM_WITH_POSTGRESQL DBM_WITH_PG
#endif
#if defined(DBM_WITH_MARIADB) && !defined(DBM_WITH_MYSQL)
#  define DBM_WITH_MYSQL DBM_WITH_MARIADB
#endif
#if defined(DBM_WITH_HIREDIS) && !defined(DBM_WITH_REDIS)
#  define DBM_WITH_REDIS DBM_WITH_HIREDIS
#endif
#if defined(DBM_WITH_MONGO) && !defined(DBM_WITH_MONGODB)
#  define DBM_WITH_MONGODB DBM_WITH_MONGO
#endif
#if defined(DBM_WITH_INIH) && !defined(DBM_WITH_INI)
#  define DBM_WITH_INI DBM_WITH_INIH
#endif

/* Spellings that can't be meant as anything else are answered with the right one. */
#if defined(DBM_USE_SQLITE) || defined(DBM_ENABLE_SQLITE) || defined(WITH_DBM_SQLITE)
#  error "dbm: the switch for SQLite is DBM_WITH_SQLITE"
#endif
#if defined(DBM_USE_POSTGRESQL) || defined(DBM_USE_POSTGRES) || defined(DBM_ENABLE_POSTGRESQL)
#  error "dbm: the switch for PostgreSQL is DBM_WITH_POSTGRESQL"
#endif
#if defined(DBM_USE_MYSQL) || defined(DBM_USE_MARIADB) || defined(DBM_ENABLE_MYSQL)
#  error "dbm: the switch for MySQL and MariaDB is DBM_WITH_MYSQL"
#endif
#if defined(DBM_USE_REDIS) || defined(DBM_ENABLE_REDIS)
#  error "dbm: the switch for Redis is DBM_WITH_REDIS"
#endif
#if defined(DBM_USE_MONGODB) || defined(DBM_USE_MONGO) || defined(DBM_ENABLE_MONGODB)
#  error "dbm: the switch for MongoDB is DBM_WITH_MONGODB"
#endif
#if defined(DBM_USE_INI) || defined(DBM_ENABLE_INI)
#  error "dbm: the switch for INI files is DBM_WITH_INI"
#endif
#if defined(DBM_IMPL) || defined(DBM_IMPLEMENT) || defined(DBM_H_IMPLEMENTATION)
#  error "dbm: the implementation is asked for by DBM_IMPLEMENTATION, in exactly one .c file"
#endif
#if defined(DBM_STATIC) && !defined(DBM_IMPLEMENTATION) && !defined(DBM__SPLIT_BUILD)
#  error "dbm: DBM_STATIC makes a private copy in one file; define DBM_IMPLEMENTATION in that file too, before the include"
#endif

/* A switch may be empty, 1 or 0; all three are understood, with -Wundef too (empty: 14, 1: -1, 0: 0). */
#if defined(DBM_WITH_ALL) && (7 - DBM_WITH_ALL - 7)
#  define DBM__WITH_ALL 1
#else
#  define DBM__WITH_ALL 0
#endif
#if defined(DBM_WITH_SQLITE)
#  if (7 - DBM_WITH_SQLITE - 7)
#    define DBM_HAS_SQLITE 1
#  else
#    define DBM_HAS_SQLITE 0
#  endif
#else
#  define DBM_HAS_SQLITE DBM__WITH_ALL
#endif
#if defined(DBM_WITH_POSTGRESQL)
#  if (7 - DBM_WITH_POSTGRESQL - 7)
#    define DBM_HAS_POSTGRESQL 1
#  else
#    define DBM_HAS_POSTGRESQL 0
#  endif
#else
#  define DBM_HAS_POSTGRESQL 0
#endif
#if defined(DBM_WITH_MYSQL)
#  if (7 - DBM_WITH_MYSQL - 7)
#    define DBM_HAS_MYSQL 1
#  else
#    define DBM_HAS_MYSQL 0
#  endif
#else
#  define DBM_HAS_MYSQL 0
#endif
#if defined(DBM_WITH_REDIS)
#  if (7 - DBM_WITH_REDIS - 7)
#    define DBM_HAS_REDIS 1
#  else
#    define DBM_HAS_REDIS 0
#  endif
#else
#  define DBM_HAS_REDIS 0
#endif
#if defined(DBM_WITH_MONGODB)
#  if (7 - DBM_WITH_MONGODB - 7)
#    define DBM_HAS_MONGODB 1
#  else
#    define DBM_HAS_MONGODB 0
#  endif
#else
#  define DBM_HAS_MONGODB 0
#endif
#if defined(DBM_WITH_INI)
#  if (7 - DBM_WITH_INI - 7)
#    define DBM_HAS_INI 1
#  else
#    define DBM_HAS_INI 0
#  endif
#else
#  define DBM_HAS_INI DBM__WITH_ALL
#endif

/* Backends that this version of dbm.h does not contain yet. Asking for one is an error, never a silent no. */
#if defined(DBM_IMPLEMENTATION) || defined(DBM__SPLIT_BUILD)
#  if DBM_HAS_POSTGRESQL
#    error "dbm: DBM_WITH_POSTGRESQL: dbm.h 0.1.0 contains SQLite and adapters of your own (dbm_register); leave this switch undefined"
#  endif
#  if DBM_HAS_MYSQL
#    error "dbm: DBM_WITH_MYSQL: dbm.h 0.1.0 contains SQLite and adapters of your own (dbm_register); leave this switch undefined"
#  endif
#  if DBM_HAS_REDIS
#    error "dbm: DBM_WITH_REDIS: dbm.h 0.1.0 contains SQLite and adapters of your own (dbm_register); leave this switch undefined"
#  endif
#  if DBM_HAS_MONGODB
#    error "dbm: DBM_WITH_MONGODB: dbm.h 0.1.0 contains SQLite and adapters of your own (dbm_register); leave this switch undefined"
#  endif
#  if defined(DBM_WITH_ASYNC) && (7 - DBM_WITH_ASYNC - 7)
#    error "dbm: DBM_WITH_ASYNC: dbm.h 0.1.0 has no asynchronous half; leave this switch undefined"
#  endif
#endif

/* Threads: off when asked, and where there are none to have. */
#if defined(DBM_NO_THREADS)
#  if (7 - DBM_NO_THREADS - 7)
#    define DBM__THREADS 0
#  else
#    define DBM__THREADS 1
#  endif
#elif defined(__TINYC__)
#  define DBM__THREADS 0
#elif defined(_WIN32) || defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__THREADS 1
#else
#  define DBM__THREADS 0
#endif

/* The environment, standard streams and floating point may be missing on a device. */
#if defined(DBM_NO_ENV)
#  define DBM__ENV 0
#else
#  define DBM__ENV 1
#endif
#if defined(DBM_NO_STDIO)
#  define DBM__STDIO 0
#else
#  define DBM__STDIO 1
#endif
#if defined(DBM_NO_FLOAT)
#  define DBM__FLOAT 0
#else
#  define DBM__FLOAT 1
#endif
#if defined(DBM_NO_LOG_TEXT)
#  define DBM__LOG_TEXT 0
#else
#  define DBM__LOG_TEXT 1
#endif

/* The cleanup attribute gives a block back on return and goto. pcc names it and ignores it; tcc 0.9.27 too. */
#if defined(__cplusplus)
#  define DBM__CLEANUP_BLOCKS 0
#elif defined(DBM_NO_CLEANUP) || defined(__TINYC__) || defined(__PCC__) || defined(__chibicc__)
#  define DBM__CLEANUP_BLOCKS 0
#elif defined(__has_attribute)
#  if __has_attribute(cleanup)
#    define DBM__CLEANUP_BLOCKS 1
#  else
#    define DBM__CLEANUP_BLOCKS 0
#  endif
#elif defined(__GNUC__)
#  define DBM__CLEANUP_BLOCKS 1
#else
#  define DBM__CLEANUP_BLOCKS 0
#endif

/* _Generic, also in C99 mode where the compiler has it as an extension. */
#if defined(__cplusplus) || defined(DBM_NO_GENERIC)
#  define DBM__HAS_GENERIC 0
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#  define DBM__HAS_GENERIC 1
#  define DBM__GENERIC _Generic
#elif defined(__clang__) || (defined(__GNUC__) && (__GNUC__ > 4 || (__GNUC__ == 4 && __GNUC_MINOR__ >= 9)))
#  define DBM__HAS_GENERIC 1
#  define DBM__GENERIC __extension__ _Generic
#elif defined(__TINYC__)
#  define DBM__HAS_GENERIC 1
#  define DBM__GENERIC _Generic
#else
#  define DBM__HAS_GENERIC 0
#endif

#if defined(__GNUC__)
#  define DBM__UNUSED __attribute__((__unused__))
#else
#  define DBM__UNUSED
#endif

/* Linkage of the public functions. */
#if defined(DBM_STATIC)
#  define DBM_API static DBM__UNUSED
#elif !defined(DBM_API)
#  define DBM_API extern
#endif
/* --- end src/api/options.h --- */
/* --- begin src/api/prefix.h --- */
/* Another prefix for every exported name, so that copies of dbm.h can be linked into one program side by side:
 * with `#define DBM_PREFIX my_`, dbm_commit is my_dbm_commit for the linker and stays dbm_commit in the source.
 * May call: nothing. Generated by `amalgamate.py --prefix-list` from the declarations in src/.
 * Must not know: what any name is for. */
#if defined(DBM_PREFIX)
#  define DBM__JOIN2(a, b) a##b
#  define DBM__JOIN(a, b) DBM__JOIN2(a, b)
#  define DBM__PREFIXED(name) DBM__JOIN(DBM_PREFIX, name)
#  define dbm__auto_begin DBM__PREFIXED(dbm__auto_begin)
#  define dbm__block_begin DBM__PREFIXED(dbm__block_begin)
#  define dbm__block_begin_on DBM__PREFIXED(dbm__block_begin_on)
#  define dbm__block_commit DBM__PREFIXED(dbm__block_commit)
#  define dbm__block_end DBM__PREFIXED(dbm__block_end)
#  define dbm__create_all DBM__PREFIXED(dbm__create_all)
#  define dbm__cursor_end DBM__PREFIXED(dbm__cursor_end)
#  define dbm__delete_struct DBM__PREFIXED(dbm__delete_struct)
#  define dbm__each DBM__PREFIXED(dbm__each)
#  define dbm__eachv DBM__PREFIXED(dbm__eachv)
#  define dbm__exec DBM__PREFIXED(dbm__exec)
#  define dbm__execv DBM__PREFIXED(dbm__execv)
#  define dbm__find DBM__PREFIXED(dbm__find)
#  define dbm__findv DBM__PREFIXED(dbm__findv)
#  define dbm__insert_struct DBM__PREFIXED(dbm__insert_struct)
#  define dbm__only_one_file_may_define_DBM_IMPLEMENTATION DBM__PREFIXED(dbm__only_one_file_may_define_DBM_IMPLEMENTATION)
#  define dbm__prepare DBM__PREFIXED(dbm__prepare)
#  define dbm__query DBM__PREFIXED(dbm__query)
#  define dbm__query_all DBM__PREFIXED(dbm__query_all)
#  define dbm__query_allv DBM__PREFIXED(dbm__query_allv)
#  define dbm__query_one DBM__PREFIXED(dbm__query_one)
#  define dbm__query_onev DBM__PREFIXED(dbm__query_onev)
#  define dbm__queryv DBM__PREFIXED(dbm__queryv)
#  define dbm__retry_begin DBM__PREFIXED(dbm__retry_begin)
#  define dbm__retry_next DBM__PREFIXED(dbm__retry_next)
#  define dbm__row_step DBM__PREFIXED(dbm__row_step)
#  define dbm__savepoint_begin DBM__PREFIXED(dbm__savepoint_begin)
#  define dbm__savepoint_end DBM__PREFIXED(dbm__savepoint_end)
#  define dbm__savepoint_release DBM__PREFIXED(dbm__savepoint_release)
#  define dbm__scan DBM__PREFIXED(dbm__scan)
#  define dbm__scan_struct DBM__PREFIXED(dbm__scan_struct)
#  define dbm__script DBM__PREFIXED(dbm__script)
#  define dbm__send DBM__PREFIXED(dbm__send)
#  define dbm__sendv DBM__PREFIXED(dbm__sendv)
#  define dbm__session_begin DBM__PREFIXED(dbm__session_begin)
#  define dbm__stmt_each DBM__PREFIXED(dbm__stmt_each)
#  define dbm__stmt_eachv DBM__PREFIXED(dbm__stmt_eachv)
#  define dbm__stmt_exec DBM__PREFIXED(dbm__stmt_exec)
#  define dbm__stmt_execv DBM__PREFIXED(dbm__stmt_execv)
#  define dbm__stmt_query DBM__PREFIXED(dbm__stmt_query)
#  define dbm__stmt_query_one DBM__PREFIXED(dbm__stmt_query_one)
#  define dbm__stmt_query_onev DBM__PREFIXED(dbm__stmt_query_onev)
#  define dbm__stmt_queryv DBM__PREFIXED(dbm__stmt_queryv)
#  define dbm__take_failure DBM__PREFIXED(dbm__take_failure)
#  define dbm__unwind DBM__PREFIXED(dbm__unwind)
#  define dbm__unwind_row DBM__PREFIXED(dbm__unwind_row)
#  define dbm__update_struct DBM__PREFIXED(dbm__update_struct)
#  define dbm_adapter_alloc DBM__PREFIXED(dbm_adapter_alloc)
#  define dbm_adapter_broken DBM__PREFIXED(dbm_adapter_broken)
#  define dbm_adapter_clear_text DBM__PREFIXED(dbm_adapter_clear_text)
#  define dbm_adapter_clock DBM__PREFIXED(dbm_adapter_clock)
#  define dbm_adapter_config DBM__PREFIXED(dbm_adapter_config)
#  define dbm_adapter_credentials DBM__PREFIXED(dbm_adapter_credentials)
#  define dbm_adapter_data DBM__PREFIXED(dbm_adapter_data)
#  define dbm_adapter_database DBM__PREFIXED(dbm_adapter_database)
#  define dbm_adapter_db_data DBM__PREFIXED(dbm_adapter_db_data)
#  define dbm_adapter_fail DBM__PREFIXED(dbm_adapter_fail)
#  define dbm_adapter_fail_constraint DBM__PREFIXED(dbm_adapter_fail_constraint)
#  define dbm_adapter_fail_init DBM__PREFIXED(dbm_adapter_fail_init)
#  define dbm_adapter_fail_retryable DBM__PREFIXED(dbm_adapter_fail_retryable)
#  define dbm_adapter_free DBM__PREFIXED(dbm_adapter_free)
#  define dbm_adapter_gate DBM__PREFIXED(dbm_adapter_gate)
#  define dbm_adapter_notice DBM__PREFIXED(dbm_adapter_notice)
#  define dbm_adapter_option DBM__PREFIXED(dbm_adapter_option)
#  define dbm_adapter_readers_block DBM__PREFIXED(dbm_adapter_readers_block)
#  define dbm_adapter_resize DBM__PREFIXED(dbm_adapter_resize)
#  define dbm_adapter_set_data DBM__PREFIXED(dbm_adapter_set_data)
#  define dbm_adapter_set_db_data DBM__PREFIXED(dbm_adapter_set_db_data)
#  define dbm_adapter_single DBM__PREFIXED(dbm_adapter_single)
#  define dbm_adapter_tls DBM__PREFIXED(dbm_adapter_tls)
#  define dbm_adapter_url DBM__PREFIXED(dbm_adapter_url)
#  define dbm_add_database DBM__PREFIXED(dbm_add_database)
#  define dbm_affected DBM__PREFIXED(dbm_affected)
#  define dbm_cancel DBM__PREFIXED(dbm_cancel)
#  define dbm_clear_error DBM__PREFIXED(dbm_clear_error)
#  define dbm_close_all DBM__PREFIXED(dbm_close_all)
#  define dbm_commit DBM__PREFIXED(dbm_commit)
#  define dbm_compiled_with DBM__PREFIXED(dbm_compiled_with)
#  define dbm_database_config DBM__PREFIXED(dbm_database_config)
#  define dbm_database_name DBM__PREFIXED(dbm_database_name)
#  define dbm_db_native DBM__PREFIXED(dbm_db_native)
#  define dbm_free DBM__PREFIXED(dbm_free)
#  define dbm_get DBM__PREFIXED(dbm_get)
#  define dbm_health DBM__PREFIXED(dbm_health)
#  define dbm_ident DBM__PREFIXED(dbm_ident)
#  define dbm_init_all DBM__PREFIXED(dbm_init_all)
#  define dbm_last_error DBM__PREFIXED(dbm_last_error)
#  define dbm_last_id DBM__PREFIXED(dbm_last_id)
#  define dbm_load DBM__PREFIXED(dbm_load)
#  define dbm_load_text DBM__PREFIXED(dbm_load_text)
#  define dbm_maintain DBM__PREFIXED(dbm_maintain)
#  define dbm_manager_create DBM__PREFIXED(dbm_manager_create)
#  define dbm_manager_free DBM__PREFIXED(dbm_manager_free)
#  define dbm_manager_load DBM__PREFIXED(dbm_manager_load)
#  define dbm_native DBM__PREFIXED(dbm_native)
#  define dbm_ping DBM__PREFIXED(dbm_ping)
#  define dbm_register DBM__PREFIXED(dbm_register)
#  define dbm_rollback DBM__PREFIXED(dbm_rollback)
#  define dbm_row_blob DBM__PREFIXED(dbm_row_blob)
#  define dbm_row_bool DBM__PREFIXED(dbm_row_bool)
#  define dbm_row_columns DBM__PREFIXED(dbm_row_columns)
#  define dbm_row_double DBM__PREFIXED(dbm_row_double)
#  define dbm_row_end DBM__PREFIXED(dbm_row_end)
#  define dbm_row_index DBM__PREFIXED(dbm_row_index)
#  define dbm_row_int DBM__PREFIXED(dbm_row_int)
#  define dbm_row_is_null DBM__PREFIXED(dbm_row_is_null)
#  define dbm_row_name DBM__PREFIXED(dbm_row_name)
#  define dbm_row_text DBM__PREFIXED(dbm_row_text)
#  define dbm_row_timestamp DBM__PREFIXED(dbm_row_timestamp)
#  define dbm_row_uint DBM__PREFIXED(dbm_row_uint)
#  define dbm_row_value DBM__PREFIXED(dbm_row_value)
#  define dbm_rows_columns DBM__PREFIXED(dbm_rows_columns)
#  define dbm_rows_end DBM__PREFIXED(dbm_rows_end)
#  define dbm_rows_name DBM__PREFIXED(dbm_rows_name)
#  define dbm_rows_next DBM__PREFIXED(dbm_rows_next)
#  define dbm_session_database DBM__PREFIXED(dbm_session_database)
#  define dbm_session_end DBM__PREFIXED(dbm_session_end)
#  define dbm_session_failed DBM__PREFIXED(dbm_session_failed)
#  define dbm_stats DBM__PREFIXED(dbm_stats)
#  define dbm_status_name DBM__PREFIXED(dbm_status_name)
#  define dbm_status_of DBM__PREFIXED(dbm_status_of)
#  define dbm_status_text DBM__PREFIXED(dbm_status_text)
#  define dbm_stmt_end DBM__PREFIXED(dbm_stmt_end)
#endif
/* --- end src/api/prefix.h --- */
/* --- begin src/api/types.h --- */
/* The types that every part of the surface shares: statuses, errors, values, options of databases and sessions.
 * May call: nothing but the three standard headers.
 * Must not know: any driver. No struct here depends on a compile-time switch. */
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define DBM_VERSION        "0.1.0"
#define DBM_VERSION_NUMBER 100           /* major * 10000 + minor * 100 + patch */

/* >>status
 * Every status, once: the enum, dbm_status_name(), dbm_status_text() and the table in the manual come from this list.
 * New ones are appended; a number never changes its meaning. */
#define DBM_STATUS_LIST(X) \
    X(OK,                 0, "success") \
    X(DONE,               1, "no more rows") \
    X(ROLLED_BACK,        2, "rolled back, because that was asked or because the block was left early without writes") \
    X(E_NOT_FOUND,        3, "no row matched") \
    X(E_MISUSE,           4, "the call is not allowed here") \
    X(E_RANGE,            5, "a value does not fit its type, or a count differs") \
    X(E_LIMIT,            6, "a configured limit was reached") \
    X(E_NOMEM,            7, "out of memory") \
    X(E_CONFIG,           8, "the configuration is wrong") \
    X(E_UNKNOWN_NAME,     9, "no database, table or column has this name") \
    X(E_NOT_COMPILED,    10, "this backend is not compiled in") \
    X(E_UNSUPPORTED,     11, "the backend cannot do this") \
    X(E_CONNECT,         12, "the database could not be reached or opened") \
    X(E_AUTH,            13, "the database refused the user or the password") \
    X(E_TLS,             14, "the encrypted connection could not be made") \
    X(E_POOL_TIMEOUT,    15, "no connection became free within pool_timeout") \
    X(E_WOULD_DEADLOCK,  16, "waiting for this connection could never end") \
    X(E_TIMEOUT,         17, "the deadline passed") \
    X(E_CANCELLED,       18, "cancelled by dbm_cancel") \
    X(E_CLOSED,          19, "the database was closed by dbm_close_all or dbm_manager_free") \
    X(E_FORKED,          20, "the session was open when the process forked and belongs to the parent") \
    X(E_LOST,            21, "the connection was lost") \
    X(E_SQL,             22, "the database refused the statement") \
    X(E_CONSTRAINT,      23, "a constraint was violated") \
    X(E_SERIALIZATION,   24, "another transaction changed the data first; the transaction can be run again") \
    X(E_DEADLOCK,        25, "the database broke a deadlock by ending this transaction; it can be run again") \
    X(E_READ_ONLY,       26, "the database or the session is read-only") \
    X(E_ROLLED_BACK,     27, "the database rolled back instead of committing") \
    X(E_LEFT_EARLY,      28, "the block was left before its end and its writes were rolled back") \
    X(E_IMPLICIT_COMMIT, 29, "the database committed by itself, as it does at DDL") \
    X(E_IN_DOUBT,        30, "the connection was lost while committing: done or not done, nobody can tell from here") \
    X(E_LEAKED,          31, "sessions were still out when the grace period ended")

typedef enum dbm_status {
    DBM__STATUS_SIGNED = -1, /* keeps the enum signed, so that `int rc = dbm_exec(...)` is silent */
#define DBM__X(name, number, text) DBM_##name = number,
    DBM_STATUS_LIST(DBM__X)
#undef DBM__X
    DBM__STATUS_END
} dbm_status;

/* Which kind of constraint a DBM_E_CONSTRAINT is about. */
typedef enum dbm_constraint {
    DBM__CONSTRAINT_SIGNED = -1,
    DBM_CONSTRAINT_NONE = 0, DBM_CONSTRAINT_UNIQUE, DBM_CONSTRAINT_PRIMARY_KEY, DBM_CONSTRAINT_NOT_NULL,
    DBM_CONSTRAINT_FOREIGN_KEY, DBM_CONSTRAINT_CHECK, DBM_CONSTRAINT_EXCLUSION, DBM_CONSTRAINT_OTHER
} dbm_constraint;

/* What was being done when an error arose. */
typedef enum dbm_stage {
    DBM__STAGE_SIGNED = -1,
    DBM_STAGE_NONE = 0, DBM_STAGE_CONFIG, DBM_STAGE_CHECKOUT, DBM_STAGE_CONNECT, DBM_STAGE_BEGIN, DBM_STAGE_STATEMENT,
    DBM_STAGE_ROW, DBM_STAGE_COMMIT, DBM_STAGE_CLOSE
} dbm_stage;

/* >>error
 * One failure, complete and copyable: it owns all of its texts, so a copy stays valid for ever. No secret is in it. */
typedef struct dbm_error_info {
    dbm_status status;
    dbm_stage stage;
    dbm_constraint constraint;  /* DBM_CONSTRAINT_NONE unless status is DBM_E_CONSTRAINT */
    int native_code;            /* the driver's own code, 0 when there is none (SQLite: the extended result code) */
    bool retryable;             /* running the whole transaction again may succeed (DBM_RETRY does) */
    char sqlstate[6];           /* five characters and 0, or "" */
    char database[64];          /* the database's name, or "" */
    char constraint_name[128];  /* what the backend names: a constraint, or "table.column"; or "" */
    char site[128];             /* "file.c:12" of the call that failed, or "" */
    char message[1024];         /* what happened, where, and what to do about it */
} dbm_error_info;

/* >>values
 * The types of a dbm_value. JSON, decimals and UUIDs travel as text. */
typedef enum dbm_type {
    DBM__TYPE_SIGNED = -1,
    DBM_TYPE_NULL = 0,
    DBM_TYPE_INT,        /* as.integer */
    DBM_TYPE_UINT,       /* as.uinteger */
    DBM_TYPE_DOUBLE,     /* as.real */
    DBM_TYPE_BOOL,       /* as.integer, 0 or 1 */
    DBM_TYPE_TEXT,       /* as.text, UTF-8; NUL-terminated when it comes from a row */
    DBM_TYPE_BLOB,       /* as.text, any bytes */
    DBM_TYPE_DECIMAL,    /* as.text, such as "1.10" */
    DBM_TYPE_TIMESTAMP,  /* as.integer, microseconds since 1970-01-01 00:00:00 UTC */
    DBM_TYPE_UUID,       /* as.text, 36 characters */
    DBM_TYPE_JSON,       /* as.text */
    DBM_TYPE_INVALID     /* an argument that can't be a value; using it is DBM_E_MISUSE */
} dbm_type;

/* One value, 32 bytes at most, passed by value. Its text belongs to whoever made it and must outlive the call that takes it;
 * no call keeps it longer. `name` is set by dbm_named() alone. */
typedef struct dbm_value {
    dbm_type type;
    const char *name;
    union {
        int64_t integer;
        uint64_t uinteger;
        double real;
        struct { const char *data; size_t size; } text;
    } as;
} dbm_value;

typedef struct dbm_manager dbm_manager;   /* all of a program's databases */
typedef struct dbm_database dbm_database; /* one of them: its configuration, adapter and pool */
typedef struct dbm_row dbm_row;           /* the row in hand; valid until the next row of its query */
typedef struct dbm_rows dbm_rows;         /* a query whose rows are being read */
typedef struct dbm_statement dbm_statement; /* a prepared statement of one session */

/* >>session
 * A session: a small value in the caller's frame that every call takes by pointer and checks against its slot. A copy may be
 * kept to cancel from another thread; a late use meets a stale `gen`, does nothing but answer DBM_E_MISUSE, and is counted. */
typedef struct dbm_session {
    void *slot;
    uint32_t gen, step;
} dbm_session;

/* >>config
 * Isolation levels, by the names of the SQL standard. A backend refuses what it does not know when it is configured. */
typedef enum dbm_isolation {
    DBM__ISOLATION_SIGNED = -1,
    DBM_ISOLATION_DEFAULT = 0, DBM_READ_UNCOMMITTED, DBM_READ_COMMITTED, DBM_REPEATABLE_READ, DBM_SERIALIZABLE,
    DBM_AUTOCOMMIT       /* no transaction: each statement stands alone */
} dbm_isolation;

/* How a connection that was idle is checked before it is handed out. */
typedef enum dbm_pre_ping {
    DBM__PRE_PING_SIGNED = -1,
    DBM_PRE_PING_DEFAULT = 0, /* true: age and epoch compared; sockets peeked after 1 ms, pinged after 1 s of idleness */
    DBM_PRE_PING_ALWAYS,      /* a ping each time */
    DBM_PRE_PING_OFF          /* epoch and age only */
} dbm_pre_ping;

/* What is done with a connection's own state when it comes back. Its transaction has ended by then, as the session's rules say, so there is none
 * to commit or roll back: rollback undoes what dbm.h saw being changed (SET, PRAGMA, temporary tables, dbm_native), commit and none leave
 * that to the next user, full resets each time. */
typedef enum dbm_reset {
    DBM__RESET_SIGNED = -1,
    DBM_RESET_DEFAULT = 0,   /* rollback */
    DBM_RESET_COMMIT, DBM_RESET_NONE, DBM_RESET_FULL
} dbm_reset;

/* Statements in the log. */
typedef enum dbm_echo { DBM__ECHO_SIGNED = -1, DBM_ECHO_OFF = 0, DBM_ECHO_STATEMENTS, DBM_ECHO_VALUES } dbm_echo;

/* Encryption to a server. Not set: off on loopback and local sockets, elsewhere `prefer` with one warning. */
typedef enum dbm_tls {
    DBM__TLS_SIGNED = -1,
    DBM_TLS_DEFAULT = 0, DBM_TLS_OFF, DBM_TLS_PREFER, DBM_TLS_REQUIRE, DBM_TLS_VERIFY_CA, DBM_TLS_VERIFY_FULL
} dbm_tls;

/* How many connections one database may hold, and how long they live.
 * Zero means the default, so an all-zero struct is a working pool; -1 means "never" or "none" where it is listed.
 * Source: names and meaning of size, max_overflow, timeout, recycle and pre-ping are those of SQLAlchemy's QueuePool. */
typedef struct dbm_pool_options {
    int size;             /* stay open once opened, 1..1000 (default 5) */
    int max_overflow;     /* opened on top under load, closed on return, 0..1000 (default 10; -1: none) */
    int timeout_ms;       /* how long a checkout waits, all of it (default 30000; -1: not at all) */
    int recycle_ms;       /* replaced when older, minus up to 10 % (default 1800000; -1: never) */
    int min_idle;         /* opened ahead by dbm_maintain, 0..size (default 0) */
    int idle_timeout_ms;  /* closed when idle longer, down to min_idle (default 600000; -1: never) */
    dbm_pre_ping pre_ping;
    dbm_reset reset_on_return;
} dbm_pool_options;

/* One extra setting for an adapter or its driver. */
typedef struct dbm_option { const char *name, *value; } dbm_option;

/* What a credential callback fills in; the texts are copied before it is called again. */
typedef struct dbm_credentials { const char *user, *password; } dbm_credentials;

/* One database, in code. Every field zero is the default. All texts are copied by dbm_add_database(). */
typedef struct dbm_config {
    const char *name;             /* what sessions ask for (default "default") */
    const char *type;             /* adapter type; may be left out, then the URL's scheme says it */
    const char *url;              /* sqlite:///app.db, sqlite:////abs/app.db, sqlite:///:memory:, or an adapter's own */
    dbm_pool_options pool;
    dbm_isolation isolation;      /* of every session that does not say otherwise (default: the backend's) */
    int connect_timeout_ms;       /* one physical connect (default 5000) */
    int statement_timeout_ms;     /* one statement (default none) */
    int socket_timeout_ms;        /* longest silence while a reply is awaited (default none) */
    int tcp_keepalive_ms;         /* (default 60000; -1: off) */
    int tcp_user_timeout_ms;      /* (default 30000; -1: off) */
    int statement_cache;          /* prepared statements kept per connection, 1..4096 (default 64; -1: none) */
    int leak_warning_ms;          /* a session that is out longer is reported with its file:line (default off) */
    dbm_echo echo;
    dbm_tls tls;
    const char *tls_ca, *tls_cert, *tls_key; /* paths */
    const char *init_sql;         /* statements run on each new connection */
    size_t row_buffer;            /* bytes that one query may buffer when a statement runs inside it (default 64 MiB) */
    const dbm_option *options;    /* the adapter's own keys, such as busy_timeout of SQLite, and connect_args.x */
    size_t option_count;
    /* Asked before each physical connect, so that rotating passwords and tokens work (default: the URL's user and password).
     * Called without a lock, from the thread that connects. An error from it fails that connect. */
    dbm_status (*credentials)(void *ud, dbm_credentials *out);
    void *credentials_ud;
} dbm_config;

/* What a session may ask for. Zero is the default. */
typedef struct dbm_session_options {
    dbm_isolation isolation;  /* (default: the database's) */
    bool read_only;           /* writes fail with DBM_E_READ_ONLY; the commit is not waited for where that is safe */
    bool write;               /* will write: SQLite begins IMMEDIATE, in the writer queue */
    bool autocommit;          /* no transaction: each statement stands alone */
    bool separate;            /* do not join an outer block of the same database: take a connection of its own */
    int timeout_ms;           /* one deadline for all of it, checkout included (default none) */
    dbm_status *status;       /* where the outcome is written; DBM_ROLLED_BACK until then */
} dbm_session_options;

/* >>events
 * Things that happen, by number; texts go to the log hook, numbers and durations to the event hook. Append only. */
#define DBM_EVENT_LIST(X) \
    X(CONNECTED,       1, "a connection was opened") \
    X(DISCONNECTED,    2, "a connection was closed") \
    X(CONNECT_FAILED,  3, "a connection could not be opened") \
    X(DOWN,            4, "a database went down: no connection lives and none can be opened") \
    X(UP,              5, "a database that was down answers again") \
    X(POOL_TIMEOUT,    6, "a checkout waited in vain") \
    X(LEAK,            7, "a session is out for longer than leak_warning") \
    X(LEAK_RETURNED,   8, "a session that was reported came back") \
    X(LEFT_EARLY,      9, "a block with writes was left early and rolled back") \
    X(STALE_HANDLE,   10, "a session was used or ended after its end") \
    X(STATEMENT,      11, "a statement was sent") \
    X(RETRY,          12, "DBM_RETRY runs its body again") \
    X(BROKEN,         13, "a connection broke or could not be reset, and was closed") \
    X(ADAPTER_FAILED, 14, "an adapter could not be initialised") \
    X(CLOSE_FAILED,   15, "a database could not be closed in time") \
    X(NOTICE,         16, "a message of the server") \
    X(CONFIG_ERROR,   17, "a configuration error") \
    X(CLEAR_TEXT,     18, "a password crosses the network unencrypted")
typedef enum dbm_event_id {
    DBM__EVENT_SIGNED = -1, DBM__EVENT_NONE = 0,
#define DBM__X(name, number, text) DBM_EVENT_##name = number,
    DBM_EVENT_LIST(DBM__X)
#undef DBM__X
    DBM__EVENT_END
} dbm_event_id;

typedef enum dbm_log_level {
    DBM__LOG_SIGNED = -1, DBM_LOG_ERROR = 1, DBM_LOG_WARNING, DBM_LOG_INFO, DBM_LOG_DEBUG
} dbm_log_level;

/* One event. Valid during the hook's call. */
typedef struct dbm_event {
    dbm_event_id id;
    dbm_log_level level;
    const char *database;   /* its name, or "" */
    const char *site;       /* "file.c:12" or "" */
    const char *text;       /* what the log says; "" with DBM_NO_LOG_TEXT */
    dbm_status status;
    int64_t duration_us;    /* of what the event ends, else 0 */
} dbm_event;

/* Memory from the program instead of malloc. All three are needed; any thread may call them. */
typedef struct dbm_allocator {
    void *(*alloc)(void *ud, size_t size);
    void *(*resize)(void *ud, void *block, size_t size);
    void (*release)(void *ud, void *block);
    void *ud;
} dbm_allocator;

struct dbm_adapter; /* see adapter.h */

/* A manager's own options. Zero is the default. Hooks are called without a lock, from any
 * thread that works with the manager; `clock` alone may be called under one, and must only tell the time. */
typedef struct dbm_options {
    dbm_allocator allocator;     /* (default malloc, or DBM_MALLOC and its fellows) */
    void *memory;                /* a block to live in instead of a heap; stays the caller's, must outlive the manager */
    size_t memory_size;          /* its size in bytes */
    void (*log)(void *ud, dbm_log_level level, int event_id, const char *database, const char *text);
    void *log_ud;                /* (default hook: warnings and errors to stderr) */
    void (*event)(void *ud, const dbm_event *event);
    void *event_ud;
    int64_t (*clock)(void *ud);  /* monotonic microseconds (default: the system's monotonic clock) */
    void *clock_ud;
    int grace_ms;                /* how long dbm_close_all waits for sessions that are out (default 5000; -1: not at all) */
    bool upkeep_thread;          /* start one thread that calls dbm_maintain once a second */
    bool own_drivers;            /* also tear down the drivers' global state at the end */
    bool no_env;                 /* ignore DBM__DATABASES__... in the environment */
    const struct dbm_adapter *const *adapters; /* registered before anything is loaded */
    size_t adapter_count;
} dbm_options;

/* Numbers of one database, at one moment. Counters only grow. */
typedef struct dbm_stats_info {
    int size, max_overflow;                   /* as configured */
    int open, idle, out, connecting, waiting; /* now */
    uint64_t checkouts, waits, timeouts, connects, connect_failures, disconnects, recycled, idle_closed, broken;
    uint64_t stale_handles, leaks, left_early, retries, in_doubt;
    uint64_t statements, cache_hits, cache_misses, cache_evictions;
    bool down;
} dbm_stats_info;

/* One line of dbm_health(). Valid during the callback. */
typedef struct dbm_health_info {
    const char *name, *type;
    dbm_status status;      /* DBM_OK: it answered; DBM_E_POOL_TIMEOUT: saturated, which is not down */
    int64_t latency_us;     /* of the ping */
    const char *message;    /* why not, or "" */
} dbm_health_info;
/* --- end src/api/types.h --- */
/* --- begin src/api/map.h --- */
/* Counting and mapping of macro arguments, spelt out: up to 33 (a statement and 32 values), and up to 64 fields of a model.
 * May call: nothing.
 * Must not know: what is mapped. */
#define DBM__X(x) x
#define DBM__CAT2(a, b) a##b
#define DBM__CAT(a, b) DBM__CAT2(a, b)
#define DBM__STR2(x) #x
#define DBM__STR(x) DBM__STR2(x)
#define DBM__NARG2(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, a41, \
    a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, \
    a63, a64, n, ...) n
#define DBM__NARG(...) DBM__X(DBM__NARG2(__VA_ARGS__, 64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, \
    49, 48, 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, \
    22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0))
/* DBM__ALONE(a) is 1, DBM__ALONE(a, b, ...) is 0. */
#define DBM__ALONE(...) DBM__X(DBM__NARG2(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0))
/* DBM__MAP(f, a, b) is f(a), f(b); DBM__MAP1(f, c, a, b) is f(c, a), f(c, b). */
#define DBM__MAP_1(f, a1) f(a1)
#define DBM__MAP_2(f, a1, a2) f(a1), f(a2)
#define DBM__MAP_3(f, a1, a2, a3) f(a1), f(a2), f(a3)
#define DBM__MAP_4(f, a1, a2, a3, a4) f(a1), f(a2), f(a3), f(a4)
#define DBM__MAP_5(f, a1, a2, a3, a4, a5) f(a1), f(a2), f(a3), f(a4), f(a5)
#define DBM__MAP_6(f, a1, a2, a3, a4, a5, a6) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6)
#define DBM__MAP_7(f, a1, a2, a3, a4, a5, a6, a7) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7)
#define DBM__MAP_8(f, a1, a2, a3, a4, a5, a6, a7, a8) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8)
#define DBM__MAP_9(f, a1, a2, a3, a4, a5, a6, a7, a8, a9) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), \
    f(a9)
#define DBM__MAP_10(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), \
    f(a8), f(a9), f(a10)
#define DBM__MAP_11(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), \
    f(a7), f(a8), f(a9), f(a10), f(a11)
#define DBM__MAP_12(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), \
    f(a7), f(a8), f(a9), f(a10), f(a11), f(a12)
#define DBM__MAP_13(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) f(a1), f(a2), f(a3), f(a4), f(a5), \
    f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13)
#define DBM__MAP_14(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) f(a1), f(a2), f(a3), f(a4), \
    f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14)
#define DBM__MAP_15(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) f(a1), f(a2), f(a3), \
    f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15)
#define DBM__MAP_16(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) f(a1), f(a2), f(a3), \
    f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), f(a16)
#define DBM__MAP_17(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) f(a1), f(a2), \
    f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), f(a16), f(a17)
#define DBM__MAP_18(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18)
#define DBM__MAP_19(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19)
#define DBM__MAP_20(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20)
#define DBM__MAP_21(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21)
#define DBM__MAP_22(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22)
#define DBM__MAP_23(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23)
#define DBM__MAP_24(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24)
#define DBM__MAP_25(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25)
#define DBM__MAP_26(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26)
#define DBM__MAP_27(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27)
#define DBM__MAP_28(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28)
#define DBM__MAP_29(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29)
#define DBM__MAP_30(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30)
#define DBM__MAP_31(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30), f(a31)
#define DBM__MAP_32(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30), f(a31), f(a32)
#define DBM__MAP_33(f, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) \
    f(a1), f(a2), f(a3), f(a4), f(a5), f(a6), f(a7), f(a8), f(a9), f(a10), f(a11), f(a12), f(a13), f(a14), f(a15), \
    f(a16), f(a17), f(a18), f(a19), f(a20), f(a21), f(a22), f(a23), f(a24), f(a25), f(a26), f(a27), f(a28), f(a29), \
    f(a30), f(a31), f(a32), f(a33)
#define DBM__MAP(f, ...) DBM__X(DBM__CAT(DBM__MAP_, DBM__NARG(__VA_ARGS__))(f, __VA_ARGS__))
#define DBM__MAP1_1(f, c, a1) f(c, a1)
#define DBM__MAP1_2(f, c, a1, a2) f(c, a1), f(c, a2)
#define DBM__MAP1_3(f, c, a1, a2, a3) f(c, a1), f(c, a2), f(c, a3)
#define DBM__MAP1_4(f, c, a1, a2, a3, a4) f(c, a1), f(c, a2), f(c, a3), f(c, a4)
#define DBM__MAP1_5(f, c, a1, a2, a3, a4, a5) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5)
#define DBM__MAP1_6(f, c, a1, a2, a3, a4, a5, a6) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6)
#define DBM__MAP1_7(f, c, a1, a2, a3, a4, a5, a6, a7) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), \
    f(c, a7)
#define DBM__MAP1_8(f, c, a1, a2, a3, a4, a5, a6, a7, a8) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), \
    f(c, a6), f(c, a7), f(c, a8)
#define DBM__MAP1_9(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9) f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), \
    f(c, a6), f(c, a7), f(c, a8), f(c, a9)
#define DBM__MAP1_10(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10) f(c, a1), f(c, a2), f(c, a3), f(c, a4), \
    f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10)
#define DBM__MAP1_11(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) f(c, a1), f(c, a2), f(c, a3), f(c, a4), \
    f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11)
#define DBM__MAP1_12(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) f(c, a1), f(c, a2), f(c, a3), \
    f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12)
#define DBM__MAP1_13(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) f(c, a1), f(c, a2), f(c, a3), \
    f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12), f(c, a13)
#define DBM__MAP1_14(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) f(c, a1), f(c, a2), \
    f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12), \
    f(c, a13), f(c, a14)
#define DBM__MAP1_15(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) f(c, a1), f(c, a2), \
    f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), f(c, a12), \
    f(c, a13), f(c, a14), f(c, a15)
#define DBM__MAP1_16(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) f(c, a1), \
    f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16)
#define DBM__MAP1_17(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) f(c, a1), \
    f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17)
#define DBM__MAP1_18(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18)
#define DBM__MAP1_19(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19)
#define DBM__MAP1_20(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20)
#define DBM__MAP1_21(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21)
#define DBM__MAP1_22(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22)
#define DBM__MAP1_23(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23)
#define DBM__MAP1_24(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24)
#define DBM__MAP1_25(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25)
#define DBM__MAP1_26(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26)
#define DBM__MAP1_27(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27)
#define DBM__MAP1_28(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28)
#define DBM__MAP1_29(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29)
#define DBM__MAP1_30(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30)
#define DBM__MAP1_31(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31)
#define DBM__MAP1_32(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32)
#define DBM__MAP1_33(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33)
#define DBM__MAP1_34(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34)
#define DBM__MAP1_35(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35)
#define DBM__MAP1_36(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36)
#define DBM__MAP1_37(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37)
#define DBM__MAP1_38(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38)
#define DBM__MAP1_39(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39)
#define DBM__MAP1_40(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40)
#define DBM__MAP1_41(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41)
#define DBM__MAP1_42(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42)
#define DBM__MAP1_43(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43)
#define DBM__MAP1_44(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44)
#define DBM__MAP1_45(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45)
#define DBM__MAP1_46(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46)
#define DBM__MAP1_47(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47)
#define DBM__MAP1_48(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48)
#define DBM__MAP1_49(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49)
#define DBM__MAP1_50(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50)
#define DBM__MAP1_51(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51)
#define DBM__MAP1_52(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52)
#define DBM__MAP1_53(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53)
#define DBM__MAP1_54(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54)
#define DBM__MAP1_55(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55)
#define DBM__MAP1_56(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56)
#define DBM__MAP1_57(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57)
#define DBM__MAP1_58(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58)
#define DBM__MAP1_59(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59)
#define DBM__MAP1_60(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60)
#define DBM__MAP1_61(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61)
#define DBM__MAP1_62(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61, a62) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61), \
    f(c, a62)
#define DBM__MAP1_63(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61, a62, a63) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61), \
    f(c, a62), f(c, a63)
#define DBM__MAP1_64(f, c, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, \
    a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33, a34, a35, a36, a37, a38, a39, a40, \
    a41, a42, a43, a44, a45, a46, a47, a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, \
    a61, a62, a63, a64) \
    f(c, a1), f(c, a2), f(c, a3), f(c, a4), f(c, a5), f(c, a6), f(c, a7), f(c, a8), f(c, a9), f(c, a10), f(c, a11), \
    f(c, a12), f(c, a13), f(c, a14), f(c, a15), f(c, a16), f(c, a17), f(c, a18), f(c, a19), f(c, a20), f(c, a21), \
    f(c, a22), f(c, a23), f(c, a24), f(c, a25), f(c, a26), f(c, a27), f(c, a28), f(c, a29), f(c, a30), f(c, a31), \
    f(c, a32), f(c, a33), f(c, a34), f(c, a35), f(c, a36), f(c, a37), f(c, a38), f(c, a39), f(c, a40), f(c, a41), \
    f(c, a42), f(c, a43), f(c, a44), f(c, a45), f(c, a46), f(c, a47), f(c, a48), f(c, a49), f(c, a50), f(c, a51), \
    f(c, a52), f(c, a53), f(c, a54), f(c, a55), f(c, a56), f(c, a57), f(c, a58), f(c, a59), f(c, a60), f(c, a61), \
    f(c, a62), f(c, a63), f(c, a64)
#define DBM__MAP1(f, c, ...) DBM__X(DBM__CAT(DBM__MAP1_, DBM__NARG(__VA_ARGS__))(f, c, __VA_ARGS__))
/* DBM__TYPED(q, a, b): q, then the codes of the values as a text, then the values. DBM__BOXED(q, a, b): q, then boxed values (C++). */
#define DBM__TYPED_2(q, a2) q, (const char[]){DBM__CODE(a2), 0}, a2
#define DBM__TYPED_3(q, a2, a3) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), 0}, a2, a3
#define DBM__TYPED_4(q, a2, a3, a4) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), 0}, a2, a3, a4
#define DBM__TYPED_5(q, a2, a3, a4, a5) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), 0}, a2, a3, a4, a5
#define DBM__TYPED_6(q, a2, a3, a4, a5, a6) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), DBM__CODE(a6), 0}, a2, a3, a4, a5, a6
#define DBM__TYPED_7(q, a2, a3, a4, a5, a6, a7) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), 0}, a2, a3, a4, a5, a6, a7
#define DBM__TYPED_8(q, a2, a3, a4, a5, a6, a7, a8) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), \
    DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), 0}, a2, a3, a4, a5, a6, a7, a8
#define DBM__TYPED_9(q, a2, a3, a4, a5, a6, a7, a8, a9) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), \
    DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), 0}, a2, a3, a4, a5, \
    a6, a7, a8, a9
#define DBM__TYPED_10(q, a2, a3, a4, a5, a6, a7, a8, a9, a10) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), \
    DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), DBM__CODE(a10), 0}, \
    a2, a3, a4, a5, a6, a7, a8, a9, a10
#define DBM__TYPED_11(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) q, (const char[]){DBM__CODE(a2), DBM__CODE(a3), \
    DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), DBM__CODE(a10), \
    DBM__CODE(a11), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11
#define DBM__TYPED_12(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) q, (const char[]){DBM__CODE(a2), \
    DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), \
    DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12
#define DBM__TYPED_13(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) q, (const char[]){DBM__CODE(a2), \
    DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), \
    DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13
#define DBM__TYPED_14(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) q, (const char[]){DBM__CODE(a2), \
    DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), DBM__CODE(a9), \
    DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), 0}, a2, a3, a4, a5, a6, a7, a8, \
    a9, a10, a11, a12, a13, a14
#define DBM__TYPED_15(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15
#define DBM__TYPED_16(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16
#define DBM__TYPED_17(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17
#define DBM__TYPED_18(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, \
    a15, a16, a17, a18
#define DBM__TYPED_19(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13, a14, a15, a16, a17, a18, a19
#define DBM__TYPED_20(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), 0}, a2, a3, a4, a5, a6, a7, a8, \
    a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20
#define DBM__TYPED_21(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), 0}, a2, a3, a4, \
    a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21
#define DBM__TYPED_22(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22
#define DBM__TYPED_23(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, \
    a22, a23
#define DBM__TYPED_24(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24
#define DBM__TYPED_25(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, \
    a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25
#define DBM__TYPED_26(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26
#define DBM__TYPED_27(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), 0}, a2, a3, a4, a5, a6, a7, a8, \
    a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27
#define DBM__TYPED_28(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), 0}, a2, a3, a4, \
    a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, \
    a28
#define DBM__TYPED_29(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, \
    a25, a26, a27, a28, a29
#define DBM__TYPED_30(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, \
    a22, a23, a24, a25, a26, a27, a28, a29, a30
#define DBM__TYPED_31(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), DBM__CODE(a31), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, \
    a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31
#define DBM__TYPED_32(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), DBM__CODE(a31), DBM__CODE(a32), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, \
    a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32
#define DBM__TYPED_33(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) q, (const char[]){ \
    DBM__CODE(a2), DBM__CODE(a3), DBM__CODE(a4), DBM__CODE(a5), DBM__CODE(a6), DBM__CODE(a7), DBM__CODE(a8), \
    DBM__CODE(a9), DBM__CODE(a10), DBM__CODE(a11), DBM__CODE(a12), DBM__CODE(a13), DBM__CODE(a14), DBM__CODE(a15), \
    DBM__CODE(a16), DBM__CODE(a17), DBM__CODE(a18), DBM__CODE(a19), DBM__CODE(a20), DBM__CODE(a21), DBM__CODE(a22), \
    DBM__CODE(a23), DBM__CODE(a24), DBM__CODE(a25), DBM__CODE(a26), DBM__CODE(a27), DBM__CODE(a28), DBM__CODE(a29), \
    DBM__CODE(a30), DBM__CODE(a31), DBM__CODE(a32), DBM__CODE(a33), 0}, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, \
    a12, a13, a14, a15, a16, a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33
#define DBM__TYPED_1(q) q, ""
#define DBM__TYPED(...) DBM__X(DBM__CAT(DBM__TYPED_, DBM__NARG(__VA_ARGS__))(__VA_ARGS__))
#define DBM__BOXED_2(q, a2) q, DBM__BOX(a2)
#define DBM__BOXED_3(q, a2, a3) q, DBM__BOX(a2), DBM__BOX(a3)
#define DBM__BOXED_4(q, a2, a3, a4) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4)
#define DBM__BOXED_5(q, a2, a3, a4, a5) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5)
#define DBM__BOXED_6(q, a2, a3, a4, a5, a6) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6)
#define DBM__BOXED_7(q, a2, a3, a4, a5, a6, a7) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), \
    DBM__BOX(a6), DBM__BOX(a7)
#define DBM__BOXED_8(q, a2, a3, a4, a5, a6, a7, a8) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), \
    DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8)
#define DBM__BOXED_9(q, a2, a3, a4, a5, a6, a7, a8, a9) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), \
    DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9)
#define DBM__BOXED_10(q, a2, a3, a4, a5, a6, a7, a8, a9, a10) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), \
    DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10)
#define DBM__BOXED_11(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11) q, DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), \
    DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), DBM__BOX(a11)
#define DBM__BOXED_12(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12) q, DBM__BOX(a2), DBM__BOX(a3), \
    DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), \
    DBM__BOX(a11), DBM__BOX(a12)
#define DBM__BOXED_13(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13) q, DBM__BOX(a2), DBM__BOX(a3), \
    DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), \
    DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13)
#define DBM__BOXED_14(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14) q, DBM__BOX(a2), DBM__BOX(a3), \
    DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), DBM__BOX(a10), \
    DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14)
#define DBM__BOXED_15(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15) q, DBM__BOX(a2), \
    DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15)
#define DBM__BOXED_16(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16) q, DBM__BOX(a2), \
    DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16)
#define DBM__BOXED_17(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17) q, DBM__BOX(a2), \
    DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17)
#define DBM__BOXED_18(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18)
#define DBM__BOXED_19(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19)
#define DBM__BOXED_20(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20)
#define DBM__BOXED_21(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21)
#define DBM__BOXED_22(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22)
#define DBM__BOXED_23(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23)
#define DBM__BOXED_24(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24)
#define DBM__BOXED_25(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25)
#define DBM__BOXED_26(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26)
#define DBM__BOXED_27(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27)
#define DBM__BOXED_28(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28)
#define DBM__BOXED_29(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29)
#define DBM__BOXED_30(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30)
#define DBM__BOXED_31(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30), \
    DBM__BOX(a31)
#define DBM__BOXED_32(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30), \
    DBM__BOX(a31), DBM__BOX(a32)
#define DBM__BOXED_33(q, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18, a19, \
    a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32, a33) q, \
    DBM__BOX(a2), DBM__BOX(a3), DBM__BOX(a4), DBM__BOX(a5), DBM__BOX(a6), DBM__BOX(a7), DBM__BOX(a8), DBM__BOX(a9), \
    DBM__BOX(a10), DBM__BOX(a11), DBM__BOX(a12), DBM__BOX(a13), DBM__BOX(a14), DBM__BOX(a15), DBM__BOX(a16), \
    DBM__BOX(a17), DBM__BOX(a18), DBM__BOX(a19), DBM__BOX(a20), DBM__BOX(a21), DBM__BOX(a22), DBM__BOX(a23), \
    DBM__BOX(a24), DBM__BOX(a25), DBM__BOX(a26), DBM__BOX(a27), DBM__BOX(a28), DBM__BOX(a29), DBM__BOX(a30), \
    DBM__BOX(a31), DBM__BOX(a32), DBM__BOX(a33)
#define DBM__BOXED_1(q) q
#define DBM__BOXED(...) DBM__X(DBM__CAT(DBM__BOXED_, DBM__NARG(__VA_ARGS__))(__VA_ARGS__))
/* More than 32 values: the error names the limit. */
#define DBM__TYPED_34(...) dbm_takes_at_most_32_values
#define DBM__BOXED_34(...) dbm_takes_at_most_32_values
#define DBM__TYPED_35(...) dbm_takes_at_most_32_values
#define DBM__BOXED_35(...) dbm_takes_at_most_32_values
#define DBM__TYPED_36(...) dbm_takes_at_most_32_values
#define DBM__BOXED_36(...) dbm_takes_at_most_32_values
#define DBM__TYPED_37(...) dbm_takes_at_most_32_values
#define DBM__BOXED_37(...) dbm_takes_at_most_32_values
#define DBM__TYPED_38(...) dbm_takes_at_most_32_values
#define DBM__BOXED_38(...) dbm_takes_at_most_32_values
#define DBM__TYPED_39(...) dbm_takes_at_most_32_values
#define DBM__BOXED_39(...) dbm_takes_at_most_32_values
#define DBM__TYPED_40(...) dbm_takes_at_most_32_values
#define DBM__BOXED_40(...) dbm_takes_at_most_32_values
#define DBM__TYPED_41(...) dbm_takes_at_most_32_values
#define DBM__BOXED_41(...) dbm_takes_at_most_32_values
#define DBM__TYPED_42(...) dbm_takes_at_most_32_values
#define DBM__BOXED_42(...) dbm_takes_at_most_32_values
#define DBM__TYPED_43(...) dbm_takes_at_most_32_values
#define DBM__BOXED_43(...) dbm_takes_at_most_32_values
#define DBM__TYPED_44(...) dbm_takes_at_most_32_values
#define DBM__BOXED_44(...) dbm_takes_at_most_32_values
#define DBM__TYPED_45(...) dbm_takes_at_most_32_values
#define DBM__BOXED_45(...) dbm_takes_at_most_32_values
#define DBM__TYPED_46(...) dbm_takes_at_most_32_values
#define DBM__BOXED_46(...) dbm_takes_at_most_32_values
#define DBM__TYPED_47(...) dbm_takes_at_most_32_values
#define DBM__BOXED_47(...) dbm_takes_at_most_32_values
#define DBM__TYPED_48(...) dbm_takes_at_most_32_values
#define DBM__BOXED_48(...) dbm_takes_at_most_32_values
#define DBM__TYPED_49(...) dbm_takes_at_most_32_values
#define DBM__BOXED_49(...) dbm_takes_at_most_32_values
#define DBM__TYPED_50(...) dbm_takes_at_most_32_values
#define DBM__BOXED_50(...) dbm_takes_at_most_32_values
#define DBM__TYPED_51(...) dbm_takes_at_most_32_values
#define DBM__BOXED_51(...) dbm_takes_at_most_32_values
#define DBM__TYPED_52(...) dbm_takes_at_most_32_values
#define DBM__BOXED_52(...) dbm_takes_at_most_32_values
#define DBM__TYPED_53(...) dbm_takes_at_most_32_values
#define DBM__BOXED_53(...) dbm_takes_at_most_32_values
#define DBM__TYPED_54(...) dbm_takes_at_most_32_values
#define DBM__BOXED_54(...) dbm_takes_at_most_32_values
#define DBM__TYPED_55(...) dbm_takes_at_most_32_values
#define DBM__BOXED_55(...) dbm_takes_at_most_32_values
#define DBM__TYPED_56(...) dbm_takes_at_most_32_values
#define DBM__BOXED_56(...) dbm_takes_at_most_32_values
#define DBM__TYPED_57(...) dbm_takes_at_most_32_values
#define DBM__BOXED_57(...) dbm_takes_at_most_32_values
#define DBM__TYPED_58(...) dbm_takes_at_most_32_values
#define DBM__BOXED_58(...) dbm_takes_at_most_32_values
#define DBM__TYPED_59(...) dbm_takes_at_most_32_values
#define DBM__BOXED_59(...) dbm_takes_at_most_32_values
#define DBM__TYPED_60(...) dbm_takes_at_most_32_values
#define DBM__BOXED_60(...) dbm_takes_at_most_32_values
#define DBM__TYPED_61(...) dbm_takes_at_most_32_values
#define DBM__BOXED_61(...) dbm_takes_at_most_32_values
#define DBM__TYPED_62(...) dbm_takes_at_most_32_values
#define DBM__BOXED_62(...) dbm_takes_at_most_32_values
#define DBM__TYPED_63(...) dbm_takes_at_most_32_values
#define DBM__BOXED_63(...) dbm_takes_at_most_32_values
#define DBM__TYPED_64(...) dbm_takes_at_most_32_values
#define DBM__BOXED_64(...) dbm_takes_at_most_32_values
/* --- end src/api/map.h --- */
/* --- begin src/api/manager.h --- */
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

/* Closes every database: no checkout succeeds any more, waiters fail with E_CLOSED, sessions that are out have grace_ms to come
 * back and are reported with their file:line when they do not. Goes on when one close fails. A second call does nothing.
 * Returns   DBM_OK, or E_LEAKED. */
DBM_API dbm_status dbm_close_all(dbm_manager *mgr);

/* dbm_close_all(), then gives all memory back; what a session that is still out needs lives until that session ends.
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
DBM_API const dbm_config *dbm_database_config(const dbm_database *db);

/* The adapter's own handle of a whole database ("neo4j"), or NULL and E_UNSUPPORTED when it has none or is of another type. */
DBM_API void *dbm_db_native(dbm_database *db, const char *type);

/* Whether an adapter is compiled into this program: "sqlite", "ini", ... */
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
/* --- end src/api/manager.h --- */
/* --- begin src/api/session.h --- */
/* Sessions, statements, rows and values: the calls of every day, and the macros that carry the caller's place and types.
 * May call: types.h, map.h.
 * Must not know: how anything is done. */
#define DBM__SITE __FILE__ ":" DBM__STR(__LINE__)
#define DBM__ON_DATABASE 0xDBDBDBDBu  /* step of a session value that stands for a database */
#define DBM__STARTED 1u               /* step: the body has begun */

/* What a scan writes to. Made by dbm_scan() from a pointer's type; dbm_to_...() make it by hand where there is no _Generic. */
typedef enum dbm__target_kind {
    DBM__TO_SIGNED = -1,
    DBM__TO_INT = 1, DBM__TO_UINT, DBM__TO_REAL, DBM__TO_BOOL, DBM__TO_TEXT, DBM__TO_BUFFER, DBM__TO_BYTES, DBM__TO_VALUE,
    DBM__TO_OPTIONAL_INT, DBM__TO_OPTIONAL_DOUBLE, DBM__TO_OPTIONAL_BOOL
} dbm__target_kind;
typedef struct dbm_target { int kind; size_t size; void *to; } dbm_target;

/* Bytes, for blobs in models and scans. `data` is the row's, or the struct's. */
typedef struct dbm_bytes { const unsigned char *data; size_t size; } dbm_bytes;
/* Numbers that may be NULL, for models and scans. */
typedef struct dbm_optional_int { bool has; int64_t value; } dbm_optional_int;
typedef struct dbm_optional_double { bool has; double value; } dbm_optional_double;
typedef struct dbm_optional_bool { bool has; bool value; } dbm_optional_bool;

/* In the caller's frame, behind the block macros. */
typedef struct dbm__cursor { dbm_row *dbm__row; int dbm__started; } dbm__cursor; /* names that no macro argument has */
typedef struct dbm__savepoint { dbm_session *session; dbm_status *status; uint32_t number; int state; } dbm__savepoint;
typedef struct dbm__failure { dbm_error_info info; int pending; } dbm__failure;

#ifdef __cplusplus
extern "C" {
#endif

/* >>by-hand
 * A session by hand: dbm_session s; if (dbm_session_begin(db, &options, &s) == DBM_OK) { ...; dbm_commit(&s); } dbm_session_end(&s);
 * Takes a connection of `db`, waiting up to its pool_timeout, and begins a transaction with the first statement.
 * options   NULL: defaults.
 * Returns   DBM_OK and a session in *out; else a status and an empty session, on which every call answers that status.
 * Errors    E_POOL_TIMEOUT, E_WOULD_DEADLOCK, E_CONNECT, E_AUTH, E_TLS, E_TIMEOUT, E_CLOSED, E_UNSUPPORTED, E_NOMEM.
 * Ownership the caller ends it with dbm_session_end(), or uses DBM_SESSION, which can't forget.
 * Threads   any; the session then belongs to one thread at a time. It never joins, and is never joined by, a block.
 * Source    order of checkout and its deadline as in SQLAlchemy's QueuePool. */
#define dbm_session_begin(db, options, out) dbm__session_begin(db, options, out, DBM__SITE)
DBM_API dbm_status dbm__session_begin(dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site);

/* Ends a session by hand: what dbm_commit() has not committed is rolled back; the connection goes back. The value is emptied; a
 * second end does nothing.
 * Returns   DBM_OK when all was committed or nothing written, else the sticky failure, E_LEFT_EARLY when writes were dropped. */
DBM_API dbm_status dbm_session_end(dbm_session *s);

/* Commits now. Later statements begin a new transaction under the same rules.
 * Errors    the sticky failure (then it rolls back), E_ROLLED_BACK, E_IN_DOUBT, E_SERIALIZATION, E_CONSTRAINT (deferred), and
 *           E_MISUSE inside DBM_EACH or DBM_SAVEPOINT. In a block that joined an outer one: kept if the outer commits. */
DBM_API dbm_status dbm_commit(dbm_session *s);
/* Rolls back now, and lifts the sticky failure. Later statements begin a new transaction. Errors as dbm_commit(). */
DBM_API dbm_status dbm_rollback(dbm_session *s);
/* Makes the session's running statement, and its later ones, fail with E_CANCELLED; a COMMIT is never interrupted. A block that joined an outer
 * one is part of its transaction: cancelling either cancels both.
 * Threads   any, through a copy of the session's value, while the manager lives. A session that has ended is left alone: E_MISUSE, and
 *           counted.
 * Source    sqlite3_interrupt(), PQcancel(). */
DBM_API dbm_status dbm_cancel(dbm_session *s);
/* Lifts a sticky failure whose effects a rolled-back savepoint has undone, or of a session without a transaction.
 * Errors    E_MISUSE when the transaction still holds half of the work. */
DBM_API dbm_status dbm_clear_error(dbm_session *s);
/* The sticky status: DBM_OK, or the first failure of the current transaction. */
DBM_API dbm_status dbm_status_of(dbm_session *s);
/* Rows matched or changed by the last statement that writes; -1 when there was none. */
DBM_API int64_t dbm_affected(dbm_session *s);
/* The key that the last INSERT generated; 0 when none. Source: sqlite3_last_insert_rowid(). */
DBM_API int64_t dbm_last_id(dbm_session *s);
/* The driver's handle (type "sqlite": sqlite3 *), after what was sent has arrived and the transaction has begun. The session then counts
 * as having written, and its connection is fully reset when it comes back.
 * Returns   NULL and E_UNSUPPORTED when the session's database is of another type, NULL and the status when it failed. */
DBM_API void *dbm_native(dbm_session *s, const char *type);
/* Writes `name` to buf as a quoted identifier of the session's backend. Errors: E_RANGE (too small), E_MISUSE (empty). */
DBM_API dbm_status dbm_ident(dbm_session *s, char *buf, size_t n, const char *name);
/* The database of a session. */
DBM_API dbm_database *dbm_session_database(dbm_session *s);

/* Whether the last DBM_SESSION... that ended on this thread failed, its checkout included. Copies the failure to *out (may be
 * NULL) and clears it. */
DBM_API bool dbm_session_failed(dbm_error_info *out);

/* >>statements
 * Each takes a session or a database as first argument; on a database it is a session of one autocommit call, or joins the
 * block of that database which is open on this thread. Values are plain C arguments or dbm_...() values, at most 32; each is evaluated once.
 *   dbm_exec(s, sql, ...)               runs a statement; rows it may have are dropped
 *   dbm_send(s, sql, ...)               the same without waiting for the outcome: in a session it answers DBM_OK, and a failure sticks and
 *                                       shows at the next call that waits, or at commit. Without a pipeline it runs at once
 *   dbm_query(s, &rows, sql, ...)       rows, read by dbm_rows_next(); dbm_rows_end() when done
 *   dbm_query_one(s, &row, sql, ...)    the first row, or E_NOT_FOUND; it lives until the session's next statement
 *   dbm_execv(s, sql, values, n), dbm_queryv(s, &rows, sql, values, n)   values from an array
 *   DBM_EACH(s, row, sql, ...) { }      a loop over the rows
 *   dbm_script(s, sql)                  many statements, separated by semicolons; stops at the first failure and names its line
 * Errors    E_SQL, E_CONSTRAINT, E_SERIALIZATION, E_DEADLOCK, E_READ_ONLY, E_RANGE, E_MISUSE, E_TIMEOUT, E_CANCELLED, E_LOST, E_IN_DOUBT,
 *           E_LIMIT, E_NOMEM; on a database also those of dbm_session_begin(). All stick but DBM_DONE and E_NOT_FOUND. */
DBM_API dbm_status dbm__exec(dbm_session *on, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__send(dbm_session *on, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__query(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__query_one(dbm_session *on, dbm_row **row, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm__cursor dbm__each(dbm_session *on, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__execv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__sendv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__queryv(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__query_onev(dbm_session *on, dbm_row **row, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm__cursor dbm__eachv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__script(dbm_session *on, const char *site, const char *sql);

/* >>prepared
 * dbm_prepare(s, sql, &st): a handle on a statement of this session; saves the look-up by text. It ends with the session, or by
 * dbm_stmt_end(). A handle whose session has ended answers E_MISUSE.
 *   dbm_stmt_exec(st, ...), dbm_stmt_query(st, &rows, ...), dbm_stmt_query_one(st, &row, ...), DBM_STMT_EACH(st, row, ...) { } */
#define dbm_prepare(s, sql, out) dbm__prepare(s, sql, out, DBM__SITE)
DBM_API dbm_status dbm__prepare(dbm_session *s, const char *sql, dbm_statement **out, const char *site);
DBM_API void dbm_stmt_end(dbm_statement *st);
DBM_API dbm_status dbm__stmt_exec(const char *site, dbm_statement *st, const char *codes, ...);
DBM_API dbm_status dbm__stmt_query(const char *site, dbm_statement *st, dbm_rows **rows, const char *codes, ...);
DBM_API dbm_status dbm__stmt_query_one(const char *site, dbm_statement *st, dbm_row **row, const char *codes, ...);
DBM_API dbm__cursor dbm__stmt_each(dbm_statement *st, const char *site, const char *codes, ...);
DBM_API dbm_status dbm__stmt_execv(const char *site, dbm_statement *st, const dbm_value *values, int count);
DBM_API dbm_status dbm__stmt_queryv(const char *site, dbm_statement *st, dbm_rows **rows, const dbm_value *values, int count);
DBM_API dbm_status dbm__stmt_query_onev(const char *site, dbm_statement *st, dbm_row **row, const dbm_value *values, int count);
DBM_API dbm__cursor dbm__stmt_eachv(dbm_statement *st, const char *site, const dbm_value *values, int count);

/* >>rows
 * dbm_rows_next: the next row in *row, valid until the next one. Returns DBM_OK, DBM_DONE at the end, or the failure, which sticks.
 * dbm_rows_end: drops the rest; rows of a call on a database then give their connection back. NULL is allowed.
 * dbm_row_end: the same for the row of dbm_query_one() on a database; elsewhere it is not needed. */
DBM_API dbm_status dbm_rows_next(dbm_rows *rows, dbm_row **row);
DBM_API void dbm_rows_end(dbm_rows *rows);
DBM_API void dbm_row_end(dbm_row *row);
DBM_API int dbm_rows_columns(dbm_rows *rows);
DBM_API const char *dbm_rows_name(dbm_rows *rows, int i);

/* Columns of the row in hand, by number from 0. A failure (NULL into a plain number, a number that does not fit, no such column)
 * gives 0, 0.0, "" or false and sticks to the session, with the column's name; so does any conversion that would lose something.
 *   text   never NULL; UTF-8, NUL-terminated, valid until the next row; numbers are written out; NULL gives "" without a failure
 *   blob   the bytes of a text or blob, *size may be NULL; NULL gives NULL and 0
 *   timestamp   microseconds since 1970 UTC; also from "YYYY-MM-DD HH:MM:SS.ffffff" and ISO 8601 texts */
DBM_API int64_t dbm_row_int(dbm_row *row, int i);
DBM_API uint64_t dbm_row_uint(dbm_row *row, int i);
DBM_API double dbm_row_double(dbm_row *row, int i);
DBM_API const char *dbm_row_text(dbm_row *row, int i);
DBM_API const void *dbm_row_blob(dbm_row *row, int i, size_t *size);
DBM_API bool dbm_row_bool(dbm_row *row, int i);
DBM_API int64_t dbm_row_timestamp(dbm_row *row, int i);
DBM_API bool dbm_row_is_null(dbm_row *row, int i);
DBM_API dbm_value dbm_row_value(dbm_row *row, int i);
DBM_API int dbm_row_columns(dbm_row *row);
DBM_API const char *dbm_row_name(dbm_row *row, int i);
/* The number of the column of this name, or -1 and E_UNKNOWN_NAME that lists the names (sticks). Without case, ASCII. */
DBM_API int dbm_row_index(dbm_row *row, const char *name);
/* dbm_scan(row, &a, &b, ...): column 0 to a, column 1 to b, ... by the types of the pointers: integers of all widths, float, double, bool,
 * const char *, char[N], dbm_bytes, dbm_value, dbm_optional_int and its fellows. Every target is written, also on failure (0, "").
 * Errors    E_RANGE (a number of targets that is not the number of columns; NULL into a plain number; a number or text that does not
 *           fit: named by column and row). They stick. */
DBM_API dbm_status dbm__scan(dbm_row *row, const dbm_target *targets, int count);

/* Behind the block macros. */
DBM_API dbm_session dbm__block_begin(dbm_manager *mgr, const char *name, const dbm_session_options *options, dbm_status *status, const char *site);
DBM_API dbm_session dbm__block_begin_on(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site);
DBM_API dbm_session dbm__auto_begin(dbm_manager *mgr, const char *name, dbm_status *status, const char *site);
DBM_API dbm_session dbm__retry_begin(dbm_manager *mgr, const char *name, int attempts, const char *site);
DBM_API bool dbm__block_commit(dbm_session *s);
DBM_API bool dbm__retry_next(dbm_session *s);
DBM_API void dbm__block_end(dbm_session *s);
DBM_API void dbm__unwind(dbm_session *s);
DBM_API void dbm__unwind_row(dbm_row *row);
DBM_API dbm__savepoint dbm__savepoint_begin(dbm_session *s, dbm_status *status, const char *site);
DBM_API bool dbm__savepoint_release(dbm__savepoint *p);
DBM_API void dbm__savepoint_end(dbm__savepoint *p);
DBM_API bool dbm__row_step(dbm_row *row);
DBM_API void dbm__cursor_end(dbm__cursor *c);
DBM_API void dbm__take_failure(dbm__failure *f);

#ifdef __cplusplus
}
#endif

static inline bool dbm__block_fresh(const dbm_session *s) { return s->slot != NULL && !(s->step & DBM__STARTED); }
static inline bool dbm__block_step(dbm_session *s) {
    if (!(s->step & DBM__STARTED)) { s->step |= DBM__STARTED; return true; }
    return dbm__block_commit(s);
}
static inline bool dbm__retry_step(dbm_session *s) {
    if (!(s->step & DBM__STARTED)) { s->step |= DBM__STARTED; return true; }
    return dbm__retry_next(s);
}
static inline bool dbm__savepoint_step(dbm__savepoint *p) {
    if (p->state == 0) { p->state = 1; return true; }
    return dbm__savepoint_release(p);
}
static inline bool dbm__cursor_once(dbm__cursor *c) { return c->dbm__row != NULL && c->dbm__started++ == 0; }
static inline dbm__failure dbm__failure_begin(void) { dbm__failure f; dbm__take_failure(&f); return f; }
static inline bool dbm__failure_once(dbm__failure *f) { int p = f->pending; f->pending = 0; return p != 0; }
static inline dbm_session dbm__database_target(dbm_database *db) { dbm_session t; t.slot = db; t.gen = 0; t.step = DBM__ON_DATABASE; return t; }

/* >>making-values
 * Values with a type of their own. Texts and blobs are not copied: they must live until the call that takes them returns. */
static inline dbm_value dbm__value(dbm_type type, const char *data, size_t size) {
    dbm_value v;
    v.type = data != NULL ? type : DBM_TYPE_NULL; v.name = NULL; v.as.text.data = data; v.as.text.size = size;
    return v;
}
static inline dbm_value dbm__number(dbm_type type, int64_t x) {
    dbm_value v;
    v.type = type; v.name = NULL; v.as.text.data = NULL; v.as.text.size = 0; v.as.integer = x;
    return v;
}
static inline dbm_value dbm_null(void) { return dbm__number(DBM_TYPE_NULL, 0); }
static inline dbm_value dbm_int(int64_t x) { return dbm__number(DBM_TYPE_INT, x); }
static inline dbm_value dbm_bool(bool x) { return dbm__number(DBM_TYPE_BOOL, x ? 1 : 0); }
static inline dbm_value dbm_timestamp(int64_t microseconds) { return dbm__number(DBM_TYPE_TIMESTAMP, microseconds); }
/* A range error at the call where the backend has no such type and x is over INT64_MAX. */
static inline dbm_value dbm_uint(uint64_t x) { dbm_value v = dbm__number(DBM_TYPE_UINT, 0); v.as.uinteger = x; return v; }
static inline dbm_value dbm_double(double x) { dbm_value v = dbm__number(DBM_TYPE_DOUBLE, 0); v.as.real = x; return v; }
static inline dbm_value dbm_text(const char *x) { return dbm__value(DBM_TYPE_TEXT, x, SIZE_MAX); }  /* up to its NUL; NULL is SQL NULL */
static inline dbm_value dbm_textn(const char *x, size_t n) { return dbm__value(DBM_TYPE_TEXT, x != NULL || n != 0 ? x : NULL, n); }
static inline dbm_value dbm_blob(const void *x, size_t n) { return dbm__value(DBM_TYPE_BLOB, (const char *)x, n); }
static inline dbm_value dbm_decimal(const char *x) { return dbm__value(DBM_TYPE_DECIMAL, x, SIZE_MAX); }  /* "1.10", any number of digits */
static inline dbm_value dbm_uuid(const char *x) { return dbm__value(DBM_TYPE_UUID, x, SIZE_MAX); }
static inline dbm_value dbm_json(const char *x) { return dbm__value(DBM_TYPE_JSON, x, SIZE_MAX); }
/* A value for the placeholder `:name`: dbm_exec(s, "... WHERE id = :id", dbm_named("id", dbm_int(7))). All of a call's values are named, or none. */
static inline dbm_value dbm_named(const char *name, dbm_value v) { v.name = name; return v; }
static inline dbm_value dbm__invalid(void) { return dbm__number(DBM_TYPE_INVALID, 0); }

static inline dbm_target dbm__target(int kind, size_t size, void *to) { dbm_target t; t.kind = kind; t.size = size; t.to = to; return t; }
static inline dbm_target dbm_to_int32(int32_t *p) { return dbm__target(DBM__TO_INT, sizeof *p, p); }
static inline dbm_target dbm_to_int64(int64_t *p) { return dbm__target(DBM__TO_INT, sizeof *p, p); }
static inline dbm_target dbm_to_uint32(uint32_t *p) { return dbm__target(DBM__TO_UINT, sizeof *p, p); }
static inline dbm_target dbm_to_uint64(uint64_t *p) { return dbm__target(DBM__TO_UINT, sizeof *p, p); }
static inline dbm_target dbm_to_double(double *p) { return dbm__target(DBM__TO_REAL, sizeof *p, p); }
static inline dbm_target dbm_to_bool(bool *p) { return dbm__target(DBM__TO_BOOL, sizeof *p, p); }
static inline dbm_target dbm_to_text(const char **p) { return dbm__target(DBM__TO_TEXT, sizeof *p, (void *)p); }
static inline dbm_target dbm_to_buffer(char *p, size_t n) { return dbm__target(DBM__TO_BUFFER, n, p); }
static inline dbm_target dbm_to_value(dbm_value *p) { return dbm__target(DBM__TO_VALUE, sizeof *p, p); }

#if defined(__cplusplus)
/* ---- C++: overloads box the values, an object guards each block ------------------------------------------------------- */
struct dbm__on_holder { dbm_session target; operator dbm_session *() { return &target; } };
inline dbm_session *dbm__on(dbm_session *s) { return s; }
inline dbm__on_holder dbm__on(dbm_database *db) { dbm__on_holder h; h.target = dbm__database_target(db); return h; }
#  define DBM__ON(x) dbm__on(x)
#  define DBM_ON(db) dbm__on(static_cast<dbm_database *>(db))

inline dbm_value dbm__box(bool x) { return dbm_bool(x); }
inline dbm_value dbm__box(char x) { return dbm_int(x); }
inline dbm_value dbm__box(signed char x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned char x) { return dbm_int(x); }
inline dbm_value dbm__box(short x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned short x) { return dbm_int(x); }
inline dbm_value dbm__box(int x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned x) { return dbm_int(x); }
inline dbm_value dbm__box(long x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned long x) { return dbm_uint(x); }
inline dbm_value dbm__box(long long x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned long long x) { return dbm_uint(x); }
inline dbm_value dbm__box(float x) { return dbm_double(static_cast<double>(x)); }
inline dbm_value dbm__box(double x) { return dbm_double(x); }
inline dbm_value dbm__box(const char *x) { return dbm_text(x); }
inline dbm_value dbm__box(char *x) { return dbm_text(x); }
inline dbm_value dbm__box(decltype(nullptr)) { return dbm_null(); }
inline dbm_value dbm__box(const dbm_value &x) { return x; }
template <class T> dbm_value dbm__box(T *) = delete; /* any other pointer would convert to bool */
template <class T> inline auto dbm__box(const T &x) -> decltype(dbm_textn(x.data(), x.size())) {
    return x.data() != nullptr ? dbm_textn(x.data(), x.size()) : dbm_textn("", 0); /* std::string and std::string_view are never NULL */
}
/* NULL is __null there, an integer of its own kind: known by its spelling. */
template <size_t N> inline bool dbm__null_token(const char (&text)[N]) {
    return N == 7 && text[0] == '_' && text[N - 5] == 'n' && text[N - 2] == 'l';
}
inline bool dbm__null_token(const char (&)[1]) { return false; }
inline bool dbm__null_token(const char (&)[2]) { return false; }
inline bool dbm__null_token(const char (&)[3]) { return false; }
inline bool dbm__null_token(const char (&)[4]) { return false; }
#  define DBM__BOX(x) (dbm__null_token(DBM__STR2(x)) ? dbm_null() : dbm__box(static_cast<decltype((x))>(x)))
template <class... V> inline dbm_status dbm__exec_cpp(dbm_session *on, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__execv(on, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__send_cpp(dbm_session *on, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__sendv(on, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__query_cpp(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__queryv(on, rows, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__query_one_cpp(dbm_session *on, dbm_row **row, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__query_onev(on, row, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm__cursor dbm__each_cpp(dbm_session *on, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__eachv(on, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__stmt_exec_cpp(const char *site, dbm_statement *st, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_execv(site, st, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__stmt_query_cpp(const char *site, dbm_statement *st, dbm_rows **rows, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_queryv(site, st, rows, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__stmt_query_one_cpp(const char *site, dbm_statement *st, dbm_row **row, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_query_onev(site, st, row, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm__cursor dbm__stmt_each_cpp(dbm_statement *st, const char *site, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_eachv(st, site, a, static_cast<int>(sizeof...(V)));
}
#  define DBM__CALL(name) name##_cpp
#  define DBM__VALUES(...) DBM__BOXED(__VA_ARGS__)

template <class T> inline dbm_target dbm__to_number(T *p) {
    return dbm__target(static_cast<T>(-1) < static_cast<T>(1) ? DBM__TO_INT : DBM__TO_UINT, sizeof *p, p);
}
inline dbm_target dbm__to(signed char *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned char *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(short *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned short *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(int *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(long long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned long long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(float *p) { return dbm__target(DBM__TO_REAL, sizeof *p, p); }
inline dbm_target dbm__to(double *p) { return dbm__target(DBM__TO_REAL, sizeof *p, p); }
inline dbm_target dbm__to(bool *p) { return dbm__target(DBM__TO_BOOL, sizeof *p, p); }
inline dbm_target dbm__to(const char **p) { return dbm__target(DBM__TO_TEXT, sizeof *p, const_cast<char **>(p)); }
inline dbm_target dbm__to(char **p) { return dbm__target(DBM__TO_TEXT, sizeof *p, p); }
inline dbm_target dbm__to(dbm_bytes *p) { return dbm__target(DBM__TO_BYTES, sizeof *p, p); }
inline dbm_target dbm__to(dbm_value *p) { return dbm__target(DBM__TO_VALUE, sizeof *p, p); }
inline dbm_target dbm__to(dbm_optional_int *p) { return dbm__target(DBM__TO_OPTIONAL_INT, sizeof *p, p); }
inline dbm_target dbm__to(dbm_optional_double *p) { return dbm__target(DBM__TO_OPTIONAL_DOUBLE, sizeof *p, p); }
inline dbm_target dbm__to(dbm_optional_bool *p) { return dbm__target(DBM__TO_OPTIONAL_BOOL, sizeof *p, p); }
template <size_t N> inline dbm_target dbm__to(char (*p)[N]) { return dbm__target(DBM__TO_BUFFER, N, p); }
inline dbm_target dbm__to(const dbm_target &t) { return t; }
inline dbm_target dbm__to(char *) = delete; /* a buffer is scanned into by its address: &buf */
template <class... T> inline dbm_status dbm__scan_cpp(dbm_row *row, const T &...t) {
    const dbm_target a[] = { t..., dbm__target(0, 0, nullptr) };
    return dbm__scan(row, a, static_cast<int>(sizeof...(T)));
}
#  define dbm_scan(row, ...) dbm__scan_cpp(row, DBM__MAP(dbm__to, __VA_ARGS__))
#  define DBM__TARGET_KIND(T, f) (dbm__to(static_cast<decltype(T::f) *>(nullptr)).kind)

/* Options: the same designators as in C, as assignments to a fresh struct. */
template <class T> inline const T *dbm__address(const T &t) { return &t; }
#  define DBM__ASSIGN(x) dbm__o x
#  define DBM__OPTIONS(T, ...) dbm__address([&]() -> T { T dbm__o = T(); (void)(DBM__MAP(DBM__ASSIGN, __VA_ARGS__)); return dbm__o; }())
#else
/* ---- C: a text of type codes beside plain variadic arguments; blocks are loops ------------------------------------------ */
#  define DBM_ON(db) (&(dbm_session){ (void *)(db), 0, DBM__ON_DATABASE })
#  if DBM__HAS_GENERIC
#    define DBM__ON(x) DBM__GENERIC(x, dbm_session *: (x), dbm_database *: &(dbm_session){ (void *)(x), 0, DBM__ON_DATABASE })
#    if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
#      define DBM__NULLPTR_CODE , typeof(nullptr): 'p'
#    else
#      define DBM__NULLPTR_CODE
#    endif
#    define DBM__CODE(x) DBM__GENERIC(x, bool: 'b', char: 'i', signed char: 'i', unsigned char: 'i', short: 'i', unsigned short: 'i', \
        int: 'i', unsigned: 'u', long: 'l', unsigned long: 'm', long long: 'q', unsigned long long: 'r', float: 'd', double: 'd', \
        char *: 's', const char *: 's', void *: 'p', const void *: 'p', dbm_value: 'v' DBM__NULLPTR_CODE)
#    define DBM__KIND(p) DBM__GENERIC(p, signed char *: DBM__TO_INT, short *: DBM__TO_INT, int *: DBM__TO_INT, long *: DBM__TO_INT, \
        long long *: DBM__TO_INT, unsigned char *: DBM__TO_UINT, unsigned short *: DBM__TO_UINT, unsigned *: DBM__TO_UINT, \
        unsigned long *: DBM__TO_UINT, unsigned long long *: DBM__TO_UINT, float *: DBM__TO_REAL, double *: DBM__TO_REAL, \
        bool *: DBM__TO_BOOL, const char **: DBM__TO_TEXT, char **: DBM__TO_TEXT, dbm_bytes *: DBM__TO_BYTES, \
        dbm_value *: DBM__TO_VALUE, dbm_optional_int *: DBM__TO_OPTIONAL_INT, dbm_optional_double *: DBM__TO_OPTIONAL_DOUBLE, \
        dbm_optional_bool *: DBM__TO_OPTIONAL_BOOL, default: DBM__GENERIC(*(p), char *: DBM__TO_BUFFER, default: 0))
/* Another type of pointer is an error whose text is this field's name. */
#    define DBM__TO_CHECKED(kind) (0 * sizeof(struct { int dbm_scan_takes_pointers_to_numbers_bool_text_char_N_or_dbm_types : (kind) ? 1 : -1; }))
#    define DBM__TO(p) { DBM__KIND(p), sizeof(*(p)) + DBM__TO_CHECKED(DBM__KIND(p)), (p) }
#    define dbm_scan(row, ...) dbm__scan(row, (const dbm_target[]){ DBM__MAP(DBM__TO, __VA_ARGS__) }, DBM__NARG(__VA_ARGS__))
#    define DBM__TARGET_KIND(T, f) (DBM__KIND(&((T *)0)->f) \
        + (int)(0 * sizeof(struct { int dbm_model_fields_are_numbers_bool_text_char_N_or_dbm_types : DBM__KIND(&((T *)0)->f) ? 1 : -1; })))
#  else /* constructors only: dbm_exec(s, sql, dbm_int(1)), dbm_scan(row, dbm_to_int64(&n)), DBM_ON(db) */
#    define DBM__ON(x) (x)
#    define DBM__CODE(x) 'v'
#    define DBM__SAME(x) x
#    define dbm_scan(row, ...) dbm__scan(row, (const dbm_target[]){ DBM__MAP(DBM__SAME, __VA_ARGS__) }, DBM__NARG(__VA_ARGS__))
#  endif
#  define DBM__CALL(name) name
#  define DBM__VALUES(...) DBM__TYPED(__VA_ARGS__)
#  define DBM__OPTIONS(T, ...) (&(const T){ __VA_ARGS__ })
#endif

#define dbm_exec(on, ...) DBM__CALL(dbm__exec)(DBM__ON(on), DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_send(on, ...) DBM__CALL(dbm__send)(DBM__ON(on), DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_query(on, rows, ...) DBM__CALL(dbm__query)(DBM__ON(on), rows, DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_query_one(on, row, ...) DBM__CALL(dbm__query_one)(DBM__ON(on), row, DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_execv(on, sql, values, count) dbm__execv(DBM__ON(on), DBM__SITE, sql, values, count)
#define dbm_sendv(on, sql, values, count) dbm__sendv(DBM__ON(on), DBM__SITE, sql, values, count)
#define dbm_queryv(on, rows, sql, values, count) dbm__queryv(DBM__ON(on), rows, DBM__SITE, sql, values, count)
#define dbm_query_onev(on, row, sql, values, count) dbm__query_onev(DBM__ON(on), row, DBM__SITE, sql, values, count)
#define dbm_script(on, sql) dbm__script(DBM__ON(on), DBM__SITE, sql)
#define dbm_stmt_exec(...) DBM__CALL(dbm__stmt_exec)(DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_stmt_query(st, ...) DBM__CALL(dbm__stmt_query)(DBM__SITE, st, DBM__VALUES(__VA_ARGS__))
#define dbm_stmt_query_one(st, ...) DBM__CALL(dbm__stmt_query_one)(DBM__SITE, st, DBM__VALUES(__VA_ARGS__))

/* ---- blocks ---------------------------------------------------------------------------------------------------------------
 * Two nested loops: the outer one owns and gives back, the inner one names what the body uses, so that `begin` is evaluated before
 * the user's name is in scope. `continue` ends a block as its end does; break, return and goto leave it early. */
#if defined(__cplusplus)
template <class T, void (*end)(T *)> class dbm__guard {
    dbm__guard(const dbm__guard &);
    dbm__guard &operator=(const dbm__guard &);
public:
    T held;
    explicit dbm__guard(const T &t) : held(t) {}
    ~dbm__guard() { end(&held); }
};
#  define DBM__OWN(type, end, name, begin) dbm__guard<type, end> name((begin))
#  define DBM__HELD(name) (&name.held)
#  define DBM__GIVE_BACK(end, name) (void)0
#elif DBM__CLEANUP_BLOCKS
#  define DBM__OWN(type, end, name, begin) type name __attribute__((__cleanup__(end))) = (begin)
#  define DBM__HELD(name) (&name)
#  define DBM__GIVE_BACK(end, name) (void)0
#else
#  define DBM__OWN(type, end, name, begin) type name = (begin)
#  define DBM__HELD(name) (&name)
#  define DBM__GIVE_BACK(end, name) end(&name)
#endif
#define DBM__BLOCK(outer, s, step, begin) \
    for (DBM__OWN(dbm_session, dbm__block_end, outer, begin); dbm__block_fresh(DBM__HELD(outer)); DBM__GIVE_BACK(dbm__block_end, outer)) \
        for (dbm_session *const s = DBM__HELD(outer); step(s); )
#define DBM__ROWS(outer, row, begin) \
    for (DBM__OWN(dbm__cursor, dbm__cursor_end, outer, begin); dbm__cursor_once(DBM__HELD(outer)); DBM__GIVE_BACK(dbm__cursor_end, outer)) \
        for (dbm_row *const row = DBM__HELD(outer)->dbm__row; dbm__row_step(row); )
#define DBM__SAVEPOINT2(p, begin) \
    for (DBM__OWN(dbm__savepoint, dbm__savepoint_end, p, begin); DBM__HELD(p)->state == 0; DBM__GIVE_BACK(dbm__savepoint_end, p)) \
        for (; dbm__savepoint_step(DBM__HELD(p)); )

/* >>blocks
 * DBM_SESSION(mgr, name, s) { ... }: checks a connection out, begins, and at the end of the block commits if all calls succeeded, else
 * rolls back; however the block is left, the connection goes back exactly once. If the checkout fails the body does not run.
 * return, break and goto roll back: say dbm_commit(s) first. A block inside another one of the same database, on the same
 * thread, joins it as a savepoint.
 *   DBM_SESSION_ON(db, s)            by handle, which saves the look-up
 *   DBM_SESSION_RC(mgr, name, s, &rc)   the outcome in rc, which is DBM_ROLLED_BACK until then
 *   DBM_SESSION_OPT(mgr, name, s, .timeout_ms = 100, .status = &rc)   any of dbm_session_options
 *   DBM_SESSION_WITH(mgr, name, s, &options)
 *   DBM_RETRY(mgr, name, s, attempts)   runs the body again when it failed in a way that another try may cure (1..100 attempts)
 *   DBM_SAVEPOINT(s) { ... }, DBM_SAVEPOINT_RC(s, &rc)   a part that can fail alone; dbm_clear_error(s) after it goes on
 *   DBM_AUTO_SESSION(mgr, name, s, &rc);   a declaration: given back at the end of the scope, commits only by dbm_commit(s)
 *   DBM_FAILED(err) { ... }          runs when the last session block on this thread failed, its checkout and commit included; it
 *                                    is a loop itself, `err` a copy. if (dbm_session_failed(&err)) does the same without one. */
#define DBM_SESSION(mgr, name, s) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, NULL, NULL, DBM__SITE))
#define DBM_SESSION_RC(mgr, name, s, rc) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, NULL, rc, DBM__SITE))
#define DBM_SESSION_ON(db, s) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin_on(db, NULL, NULL, DBM__SITE))
#define DBM_SESSION_WITH(mgr, name, s, options) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, options, NULL, DBM__SITE))
#define DBM_SESSION_OPT(mgr, name, s, ...) \
    DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, DBM__OPTIONS(dbm_session_options, __VA_ARGS__), NULL, DBM__SITE))
#define DBM_RETRY(mgr, name, s, attempts) DBM__BLOCK(dbm__s_##s, s, dbm__retry_step, dbm__retry_begin(mgr, name, attempts, DBM__SITE))
#if defined(__COUNTER__)
#  define DBM_SAVEPOINT(s) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __COUNTER__), dbm__savepoint_begin(s, NULL, DBM__SITE))
#  define DBM_SAVEPOINT_RC(s, rc) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __COUNTER__), dbm__savepoint_begin(s, rc, DBM__SITE))
#else
#  define DBM_SAVEPOINT(s) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __LINE__), dbm__savepoint_begin(s, NULL, DBM__SITE))
#  define DBM_SAVEPOINT_RC(s, rc) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __LINE__), dbm__savepoint_begin(s, rc, DBM__SITE))
#endif
#define DBM_FAILED(err) \
    for (dbm__failure dbm__f_##err = dbm__failure_begin(); dbm__failure_once(&dbm__f_##err); ) \
        for (const dbm_error_info *err = &dbm__f_##err.info; err != NULL; err = NULL)

#define DBM_EACH(on, row, ...) DBM__ROWS(dbm__r_##row, row, DBM__CALL(dbm__each)(DBM__ON(on), DBM__SITE, DBM__VALUES(__VA_ARGS__)))
/* DBM_STMT_EACH(st, row, ...): the row's name is the first of the variadic arguments, so that there may be no values. */
#define DBM_STMT_EACH(st, ...) \
    DBM__STMT_ROWS(DBM__X(DBM__FIRST(__VA_ARGS__, 0)), DBM__CALL(dbm__stmt_each)(st, DBM__STMT_VALUES(DBM__X(DBM__CAT(DBM__REST_, DBM__ALONE(__VA_ARGS__))(__VA_ARGS__)))))
#define DBM__STMT_ROWS(row, begin) DBM__STMT_ROWS2(row, begin)
#define DBM__STMT_ROWS2(row, begin) DBM__ROWS(dbm__r_##row, row, begin)
#define DBM__STMT_VALUES(...) DBM__X(DBM__VALUES(__VA_ARGS__))
#define DBM__FIRST(a, ...) a
#define DBM__REST_1(a) DBM__SITE
#define DBM__REST_0(a, ...) DBM__SITE, __VA_ARGS__

#if !defined(__cplusplus) && DBM__CLEANUP_BLOCKS
#  define DBM_AUTO_SESSION(mgr, name, s, rc) \
    dbm_session dbm__s_##s __attribute__((__cleanup__(dbm__block_end))) = dbm__auto_begin(mgr, name, rc, DBM__SITE), *const s = &dbm__s_##s
#elif defined(__cplusplus)
#  define DBM_AUTO_SESSION(mgr, name, s, rc) \
    dbm__guard<dbm_session, dbm__block_end> dbm__s_##s(dbm__auto_begin(mgr, name, rc, DBM__SITE)); dbm_session *const s = &dbm__s_##s.held
#endif

/* Where there is no cleanup attribute (tcc, MSVC's C), return and goto out of a block need these; they end session `s` and every block and
 * DBM_EACH that was opened inside it. Out of a DBM_EACH alone, name its row: DBM_RETURN(row, value) ends the loop and what is inside it, and
 * leaves a session around it open. Elsewhere they are return and goto. `value` must not use the session or its rows. */
#if defined(__cplusplus) || DBM__CLEANUP_BLOCKS
#  define DBM_RETURN(s, value) return value
#  define DBM_GOTO(s, label) goto label
#else
#  if DBM__HAS_GENERIC
#    define DBM__UNWIND(x) DBM__GENERIC(x, dbm_session *: dbm__unwind, dbm_row *: dbm__unwind_row)(x)
#  else
#    define DBM__UNWIND(s) dbm__unwind(s)
#  endif
#  define DBM_RETURN(s, value) do { DBM__UNWIND(s); return value; } while (0)
#  define DBM_GOTO(s, label) do { DBM__UNWIND(s); goto label; } while (0)
#endif

/* DBM_CONFIG(.name = "a", .pool.size = 5): a `const dbm_config *` for dbm_add_database(), in C and in C++11. */
#define DBM_CONFIG(...) DBM__OPTIONS(dbm_config, __VA_ARGS__)
/* --- end src/api/session.h --- */
/* --- begin src/api/models.h --- */
/* Models: a C struct and a table, matched by name.
 * May call: types.h, session.h, map.h.
 * Must not know: how SQL is sent. */

/* >>models
 * DBM_MODEL(user, "users", DBM_KEY(id), DBM_FIELD(name, DBM_NOT_NULL | DBM_UNIQUE), DBM_FIELD(age), DBM_FIELD(admin));
 * describes `struct`/typedef `user` as `user_model`, at file scope or in a function. Up to 64 fields, types inferred: integers of all
 * widths, float, double, bool, char *, const char *, char[N], dbm_bytes (a blob), dbm_optional_int, _double, _bool. */
enum {
    DBM_PRIMARY_KEY = 1, /* DBM_KEY() sets it; an integer key that is 0 at insert is generated */
    DBM_NOT_NULL = 2,    /* plain numbers and bools are NOT NULL by themselves */
    DBM_UNIQUE = 4
};
typedef struct dbm_field { const char *name; int kind; size_t offset, size; unsigned flags; } dbm_field;
typedef struct dbm_model { const char *name, *table; size_t size; const dbm_field *fields; size_t field_count; } dbm_model;

#define DBM_KEY(...) (DBM__X(DBM__FIRST(__VA_ARGS__, 0)), DBM__X(DBM__CAT(DBM__FLAGS_, DBM__ALONE(__VA_ARGS__))(__VA_ARGS__)) | DBM_PRIMARY_KEY)
#define DBM_FIELD(...) (DBM__X(DBM__FIRST(__VA_ARGS__, 0)), DBM__X(DBM__CAT(DBM__FLAGS_, DBM__ALONE(__VA_ARGS__))(__VA_ARGS__)))
#define DBM__FLAGS_1(f) 0
#define DBM__FLAGS_0(f, flags) (flags)
#define DBM__MODEL_FIELD(T, pair) DBM__MODEL_FIELD2(T, DBM__UNPAIR pair)
#define DBM__UNPAIR(f, flags) f, flags
#define DBM__MODEL_FIELD2(...) DBM__X(DBM__MODEL_FIELD3(__VA_ARGS__))
#define DBM__MODEL_FIELD3(T, f, flags) { #f, DBM__TARGET_KIND(T, f), offsetof(T, f), sizeof(((T *)0)->f), (unsigned)(flags) }
#define DBM_MODEL(T, table, ...) \
    static const dbm_field T##_fields[] = { DBM__MAP1(DBM__MODEL_FIELD, T, __VA_ARGS__) }; \
    static const dbm_model T##_model DBM__UNUSED = { #T, table, sizeof(T), T##_fields, sizeof(T##_fields) / sizeof(T##_fields[0]) }

#ifdef __cplusplus
extern "C" {
#endif

/* Creates the tables of these models where they do not exist (CREATE TABLE IF NOT EXISTS). A table that exists is never altered.
 * models    an array of `count` pointers: const dbm_model *const models[] = { &user_model, &order_model };
 * Errors    E_UNKNOWN_NAME when an existing table lacks a column: it names table and column; E_MISUSE for a model that can't be a table. */
DBM_API dbm_status dbm__create_all(dbm_session *on, const char *site, const dbm_model *const *models, size_t count);
#define dbm_create_all(on, models, count) dbm__create_all(DBM__ON(on), DBM__SITE, models, count)

/* Writes one struct as a row. An integer key that is 0 is generated and stored into the struct.
 * Errors    E_CONSTRAINT, E_RANGE (a char[N] without NUL, a number over INT64_MAX) and those of dbm_exec(). */
DBM_API dbm_status dbm__insert_struct(dbm_session *on, const char *site, const dbm_model *model, void *record, size_t size);
#define dbm_insert_struct(on, model, record) dbm__insert_struct(DBM__ON(on), DBM__SITE, model, record, sizeof *(record))

/* Writes all fields but the key to the row with the struct's key. Errors: E_NOT_FOUND when there is none. */
DBM_API dbm_status dbm__update_struct(dbm_session *on, const char *site, const dbm_model *model, const void *record, size_t size);
#define dbm_update_struct(on, model, record) dbm__update_struct(DBM__ON(on), DBM__SITE, model, record, sizeof *(record))

/* Deletes the row with the struct's key. Errors: E_NOT_FOUND when there is none. */
DBM_API dbm_status dbm__delete_struct(dbm_session *on, const char *site, const dbm_model *model, const void *record, size_t size);
#define dbm_delete_struct(on, model, record) dbm__delete_struct(DBM__ON(on), DBM__SITE, model, record, sizeof *(record))

/* dbm_find(s, &user_model, &u, 7): the row with this key. The texts in the struct live until the session's next statement.
 * Errors    E_NOT_FOUND (does not stick), E_UNKNOWN_NAME (the table lacks a column), E_RANGE (NULL into a plain number). */
DBM_API dbm_status dbm__findv(dbm_session *on, const char *site, const dbm_model *model, void *record, size_t size, const dbm_value *key, int count);
/* dbm_query_all(s, &user_model, &users, &n, "WHERE age > ? ORDER BY id", 18): all rows that match, as one block with the texts inside it; one
 * dbm_free(users) gives it back. The text continues "SELECT columns FROM table "; "" is all rows. *out is NULL when n is 0. */
DBM_API dbm_status dbm__query_allv(dbm_session *on, const char *site, const dbm_model *model, void *out, size_t size, size_t *n, const char *tail,
                                   const dbm_value *values, int count);
/* Fills a struct from the row in hand, column by name; columns that the struct lacks are ignored. Texts live until the next row.
 * Errors    E_UNKNOWN_NAME (the row lacks a field), E_RANGE. They stick; every field is written all the same. */
DBM_API dbm_status dbm__scan_struct(dbm_row *row, const dbm_model *model, void *record, size_t size);
#define dbm_scan_struct(row, model, record) dbm__scan_struct(row, model, record, sizeof *(record))
/* Gives back what dbm_query_all() returned. NULL is allowed. */
DBM_API void dbm_free(void *block);

DBM_API dbm_status dbm__find(dbm_session *on, const dbm_model *model, void *record, size_t size, const char *site, const char *codes, ...);
DBM_API dbm_status dbm__query_all(dbm_session *on, const dbm_model *model, void *out, size_t size, size_t *n, const char *site, const char *tail,
                                  const char *codes, ...);
#ifdef __cplusplus
}
template <class V> inline dbm_status dbm__find_cpp(dbm_session *on, const dbm_model *model, void *record, size_t size, const char *site, const V &key) {
    const dbm_value k = key;
    return dbm__findv(on, site, model, record, size, &k, 1);
}
template <class... V> inline dbm_status dbm__query_all_cpp(dbm_session *on, const dbm_model *model, void *out, size_t size, size_t *n,
                                                           const char *site, const char *tail, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__query_allv(on, site, model, out, size, n, tail, a, static_cast<int>(sizeof...(V)));
}
#endif
#define dbm_find(on, model, record, key) \
    DBM__CALL(dbm__find)(DBM__ON(on), model, record, sizeof *(record), DBM__VALUES(DBM__SITE, key))
#define dbm_query_all(on, model, out, n, ...) \
    DBM__CALL(dbm__query_all)(DBM__ON(on), model, out, sizeof **(out), n, DBM__SITE, DBM__VALUES(__VA_ARGS__))
/* --- end src/api/models.h --- */
/* --- begin src/api/adapter.h --- */
/* The adapter table: what a backend is to dbm.h. The built-in backends use this and nothing else.
 * May call: types.h.
 * Must not know: pools, sessions, or any driver. */

/* >>adapter
 * How to write one: fill a static dbm_adapter and pass it to dbm_register(). `init` and `close` are required; each further entry
 * adds a capability. An entry answers DBM_E_UNSUPPORTED for what it lacks, and dbm.h emulates it or refuses with a clear
 * error. No entry is called under a lock of dbm.h (init alone: under the one of
 * its own database that makes it happen once), nor by two threads at once for the same connection (`cancel` excepted;
 * with DBM_ADAPTER_SHARED, all may be). */
#define DBM_ADAPTER_VERSION 1

typedef struct dbm_connection dbm_connection; /* one physical connection, as the adapter sees it */

/* What an adapter is capable of. */
enum {
    DBM_ADAPTER_SHARED       = 1, /* one thread-safe connection serves all sessions (Cassandra's and Neo4j's drivers) */
    DBM_ADAPTER_TRANSACTIONS = 2, /* BEGIN, COMMIT, ROLLBACK: as operations, or as SQL when those are unsupported */
    DBM_ADAPTER_SAVEPOINTS   = 4, /* the same for savepoints */
    DBM_ADAPTER_SOCKET       = 8, /* connections are sockets that can die unseen: peeked and pinged when idle */
    DBM_ADAPTER_NO_RECYCLE   = 16, /* pool_recycle does not apply (SQLite) */
    DBM_ADAPTER_ONE_RESULT   = 32 /* a connection reads one result at a time: open ones are held (HOLD) before anything else is sent, not only
                                   * before a statement that writes */
};

/* Which placeholders the backend's own statements have; dbm.h accepts `?` (and `:name` with dbm_named) everywhere. */
typedef enum dbm_placeholders {
    DBM__PH_SIGNED = -1,
    DBM_PH_QUESTION = 0, /* ? */
    DBM_PH_DOLLAR,       /* $1, $2 (PostgreSQL); `$1` is then accepted from the user too */
    DBM_PH_NATIVE        /* statements are passed on untouched and values by position (Cypher, CQL with names of its own) */
} dbm_placeholders;

/* What the lexer must know to tell a placeholder from a quoted question mark. */
enum {
    DBM_LEX_BACKSLASH   = 1,  /* 'it\'s' (MySQL) */
    DBM_LEX_DOLLAR      = 2,  /* $tag$ ... $tag$ (PostgreSQL) */
    DBM_LEX_HASH        = 4,  /* # comment (MySQL) */
    DBM_LEX_NESTED      = 8,  /* nested comments (PostgreSQL) */
    DBM_LEX_BRACKETS    = 16, /* [name] (SQLite) */
    DBM_LEX_BACKTICKS   = 32, /* `name` (MySQL, SQLite) */
    DBM_LEX_ESTRING     = 64, /* E'it\'s' (PostgreSQL) */
    DBM_LEX_DASH_SPACE  = 128 /* -- is a comment only before a blank (MySQL) */
};

typedef enum dbm_op_kind {
    DBM__OP_SIGNED = -1,
    DBM_OP_CONNECT = 0,   /* open connection; its data by dbm_adapter_set_data() */
    DBM_OP_BEGIN,         /* isolation, read_only, write */
    DBM_OP_COMMIT,
    DBM_OP_ROLLBACK,
    DBM_OP_SAVEPOINT,     /* savepoint: its number, 1.. */
    DBM_OP_RELEASE,
    DBM_OP_ROLLBACK_TO,   /* undo, and release */
    DBM_OP_PREPARE,       /* make prepared->data of sql; fill in the rest of *prepared */
    DBM_OP_UNPREPARE,     /* free prepared->data */
    DBM_OP_EXECUTE,       /* run sql (or prepared) with values */
    DBM_OP_FETCH,         /* the next row of result; DBM_DONE after the last */
    DBM_OP_HOLD,          /* another statement is about to write (DBM_ADAPTER_ONE_RESULT: to be sent): make the rest of result independent of it */
    DBM_OP_FINISH,        /* drop result, read to its end or not */
    DBM_OP_SCRIPT,        /* run several statements, without values or rows */
    DBM_OP_PING,
    DBM_OP_RESET,         /* full: undo everything a session may have changed; failing closes the connection */
    DBM_OP_NATIVE,        /* out: the driver's own handle */
    DBM_OP_COMMAND        /* a command of the backend's own, outside of SQL: values are its arguments, values[0] the text that names it; rows as
                           * EXECUTE gives them */
} dbm_op_kind;

/* A statement known to a connection. Made by dbm.h, kept in the connection's statement cache, filled in by the adapter. */
typedef struct dbm_prepared {
    void *data;            /* the adapter's; NULL: not prepared yet */
    const char *sql;       /* as the backend reads it, placeholders rewritten; NUL-terminated */
    size_t sql_size;
    int parameters;        /* placeholders */
    bool writes;           /* changes data or schema, as far as can be told; PREPARE may correct it */
    bool returns_rows;     /* PREPARE may correct it */
    bool single;           /* one result at a time: dbm.h takes another entry while a result of this one is open */
} dbm_prepared;

/* What step() answers: done, or what it waits for. */
typedef enum dbm_step {
    DBM__STEP_SIGNED = -1,
    DBM_STEP_DONE = 0,     /* op->status says how it ended */
    DBM_STEP_READ = 1,     /* until op->fd is readable, or op->wake_us */
    DBM_STEP_WRITE = 2,    /* until op->fd is writable, or op->wake_us */
    DBM_STEP_BOTH = 3,     /* either */
    DBM_STEP_TIMER = 4     /* until op->wake_us only */
} dbm_step;

/* One operation. Fields that do not belong to the kind are zero. Times are those of dbm_adapter_clock(). */
typedef struct dbm_op {
    dbm_op_kind kind;
    dbm_status status;       /* out, when it is done */
    /* in */
    const char *sql;
    size_t sql_size;
    const dbm_value *values; /* valid until FINISH where the statement has rows, else until the operation is done */
    int value_count;
    dbm_prepared *prepared;  /* with EXECUTE always set; its data is NULL when PREPARE is unsupported or still to be done */
    dbm_isolation isolation;
    bool read_only, write;   /* BEGIN; write also: the COMMAND changes data */
    bool one_row;            /* only the first row is wanted */
    bool no_wait;            /* COMMIT of a read-only session: need not be waited for */
    int savepoint;
    int64_t deadline_us;     /* monotonic; INT64_MAX: none */
    size_t row_buffer;       /* EXECUTE, HOLD: bytes that may be put aside; more is DBM_E_LIMIT */
    /* out, and in again for FETCH, HOLD, FINISH */
    void *result;            /* the adapter's handle of the rows; NULL: the statement has none */
    int columns;
    bool row;                /* EXECUTE stands on the first row already, so that no FETCH is needed for it */
    int64_t affected;        /* rows matched or changed by a statement that writes, else -1 */
    int64_t last_id;         /* the key that the statement generated; 0: none was; -1, as it comes in: not an INSERT */
    bool ended;              /* EXECUTE, COMMAND: the transaction has ended by itself (MySQL commits at DDL) */
    bool settled;            /* EXECUTE of a statement that writes and has rows: all its work is done, the rows are put aside */
    void *native;
    /* step */
    int fd;
    int64_t wake_us;         /* set by step: when to be called again at the latest; INT64_MAX: no need */
    void *state;             /* the adapter's, from start to DONE */
} dbm_op;

/* How a connection ends. */
typedef enum dbm_disconnect {
    DBM__DISCONNECT_SIGNED = -1,
    DBM_DISCONNECT_POLITE = 0, /* say goodbye, as the protocol wants it */
    DBM_DISCONNECT_BROKEN,     /* it is dead or out of step: no conversation */
    DBM_DISCONNECT_FORKED      /* it belongs to the parent process: forget it, send no byte */
} dbm_disconnect;

/* The parts of a database's URL, decoded. Any may be "". */
typedef struct dbm_url {
    const char *scheme;    /* "sqlite", without a driver suffix */
    const char *driver;    /* "asyncpg" of postgresql+asyncpg:// */
    const char *user, *password;
    const char *hosts;     /* "db1:5432,db2", still encoded as written */
    const char *path;      /* what follows the first slash after the hosts, or the file of sqlite:/// */
    const dbm_option *parameters; /* of the query string, decoded, in order */
    size_t parameter_count;
} dbm_url;

typedef struct dbm_adapter {
    uint32_t size;             /* sizeof(dbm_adapter) */
    uint32_t version;          /* DBM_ADAPTER_VERSION */
    const char *type;          /* "neo4j" */
    const char *schemes;       /* "neo4j,bolt"; NULL: the type */
    const char *options;       /* the adapter's own config keys, "fetch_size,realm" */
    unsigned flags;            /* DBM_ADAPTER_... */
    dbm_placeholders placeholders;
    unsigned lexer;            /* DBM_LEX_... */
    /* Required. init checks the configuration (dbm_adapter_option, dbm_adapter_url) and may prepare dbm_adapter_set_db_data();
     * close undoes it, when no connection is left. */
    dbm_status (*init)(dbm_database *db);
    void (*close)(dbm_database *db);
    /* Connections, blocking form: op->deadline_us bounds connect and ping. */
    dbm_status (*connect)(dbm_connection *c, dbm_op *op);
    void (*disconnect)(dbm_connection *c, dbm_disconnect how);
    dbm_status (*alive)(dbm_connection *c);               /* without a round trip: DBM_OK, or DBM_E_LOST */
    dbm_status (*ping)(dbm_connection *c, dbm_op *op);    /* with one */
    dbm_status (*reset)(dbm_connection *c, dbm_op *op);
    /* Any thread, while an operation runs: make it end soon, with DBM_E_CANCELLED where the server obeys. Must return within half a second
     * though the server be silent, and must not reach what the connection does next. Called at a deadline too: dbm.h then waits for one second more
     * for the operation to end, and keeps the connection when it does. */
    void (*cancel)(dbm_connection *c);
    /* Which of our statuses a native error is, and whether it is worth a retry; may be left out. */
    dbm_status (*classify)(dbm_connection *c, const char *sqlstate, int native, bool *retryable);
    /* Operations, blocking form: execute serves every kind that has no entry of its own. */
    dbm_status (*execute)(dbm_connection *c, dbm_op *op);
    dbm_status (*fetch)(dbm_connection *c, dbm_op *op);
    /* Column i of the row in hand. Texts stay valid until the next FETCH or FINISH; they are NUL-terminated. */
    dbm_status (*column)(dbm_connection *c, dbm_op *op, int i, dbm_value *out);
    const char *(*column_name)(dbm_connection *c, dbm_op *op, int i);
    /* The same operations without blocking: start, then step until DBM_STEP_DONE. They take the place of connect, ping, reset,
     * execute and fetch when both are set. */
    void (*start)(dbm_connection *c, dbm_op *op);
    dbm_step (*step)(dbm_connection *c, dbm_op *op);
} dbm_adapter;

/* DBM_ADAPTER(.type = "neo4j", .init = neo4j_init, ...): an adapter table with size and version filled in, in C and in C++11, as the
 * initialiser of a static const dbm_adapter. */
#if defined(__cplusplus)
#  define DBM_ADAPTER(...) \
    []() -> dbm_adapter { \
        dbm_adapter dbm__o = dbm_adapter(); \
        dbm__o.size = sizeof(dbm_adapter); \
        dbm__o.version = DBM_ADAPTER_VERSION; \
        (void)(DBM__MAP(DBM__ASSIGN, __VA_ARGS__)); \
        return dbm__o; \
    }()
#else
#  define DBM_ADAPTER(...) { .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, __VA_ARGS__ }
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Makes an adapter type known to a manager, before dbm_load() or dbm_add_database() names it. The table must outlive the manager.
 * Errors    E_MISUSE (init or close missing, other version, type or scheme taken), E_NOMEM.
 * Threads   any. */
DBM_API dbm_status dbm_register(dbm_manager *mgr, const dbm_adapter *adapter);

/* For adapters: reports what went wrong, in the driver's words; returns the status, so that `return dbm_adapter_fail(...)` works.
 * status    DBM_OK asks classify, or the SQLSTATE's class, for it.
 * sqlstate  five characters, or NULL. native: the driver's code. text: copied; secrets of this database are blanked out. */
DBM_API dbm_status dbm_adapter_fail(dbm_connection *c, dbm_status status, const char *sqlstate, int native, const char *text);
/* The same for init, which has no connection yet. */
DBM_API dbm_status dbm_adapter_fail_init(dbm_database *db, dbm_status status, const char *text);
/* Marks the last failure: retryable, or a constraint's kind and name. Call after dbm_adapter_fail. */
DBM_API void dbm_adapter_fail_retryable(dbm_connection *c);
DBM_API void dbm_adapter_fail_constraint(dbm_connection *c, dbm_constraint kind, const char *name);
/* The connection can't be used again: it is closed instead of returned. */
DBM_API void dbm_adapter_broken(dbm_connection *c);

/* A key of .options, a connect_args.x key, or a URL parameter, in this order; NULL when it is not set. */
DBM_API const char *dbm_adapter_option(dbm_database *db, const char *key);
DBM_API const dbm_url *dbm_adapter_url(dbm_database *db);
/* The configuration with every default filled in; 0 means "none" or "never" where that makes sense. */
DBM_API const dbm_config *dbm_adapter_config(dbm_database *db);
/* User and password for a connect that is about to be made: from the callback, or the URL. */
DBM_API dbm_status dbm_adapter_credentials(dbm_connection *c, dbm_credentials *out);

DBM_API dbm_database *dbm_adapter_database(dbm_connection *c);
DBM_API void dbm_adapter_set_data(dbm_connection *c, void *data);
DBM_API void *dbm_adapter_data(dbm_connection *c);
DBM_API void dbm_adapter_set_db_data(dbm_database *db, void *data);
DBM_API void *dbm_adapter_db_data(dbm_database *db);
/* At init: one connection only, never closed for age or idleness (an in-memory database). */
DBM_API void dbm_adapter_single(dbm_database *db);
/* At init: writers of this process take turns, in a queue shared by all databases of the manager that name the same key.
 * At connect: readers_block says that a reader with an open transaction would block the writer's commit. */
DBM_API dbm_status dbm_adapter_gate(dbm_database *db, const char *key);
DBM_API void dbm_adapter_readers_block(dbm_connection *c, bool readers_block);
/* Memory from the manager's allocator. */
DBM_API void *dbm_adapter_alloc(dbm_database *db, size_t size);
DBM_API void *dbm_adapter_resize(dbm_database *db, void *block, size_t size);
DBM_API void dbm_adapter_free(dbm_database *db, void *block);
/* Monotonic microseconds by the manager's clock. */
DBM_API int64_t dbm_adapter_clock(dbm_database *db);
/* The TLS mode in force for a connect: as configured; else DBM_TLS_OFF where `local` (loopback, or a local socket) and DBM_TLS_PREFER elsewhere. */
DBM_API dbm_tls dbm_adapter_tls(dbm_database *db, bool local);
/* A password crosses to another host in clear: says so once per database, as a warning. */
DBM_API void dbm_adapter_clear_text(dbm_connection *c);
/* A text of the server for the log. */
DBM_API void dbm_adapter_notice(dbm_connection *c, const char *text);

#ifdef __cplusplus
}
#endif
/* --- end src/api/adapter.h --- */
#endif /* DBM_DATABASE_MANAGER_H */
/* --- end src/api/api.h --- */
#if defined(DBM_IMPLEMENTATION) && !defined(DBM__IMPLEMENTED)
#define DBM__IMPLEMENTED
/* --- begin src/base/base.h --- */
/* The ground that every room stands on: allocator, texts, atomics, locks, clock, errors, log. It has no state of its own but
 * the one thread-local struct and the fork counter.
 * May call: api/, the C library, the system's threads.
 * Must not know: databases, pools, sessions, drivers. */
#ifndef DBM__BASE_H
#define DBM__BASE_H
#include <string.h>
#include <stdarg.h>
#include <limits.h>
#if DBM__STDIO
#  include <stdio.h>
#endif
#if !defined(DBM_MALLOC) || DBM__ENV
#  include <stdlib.h>
#endif
#if DBM__THREADS
#  if defined(_WIN32)
#    if !defined(WIN32_LEAN_AND_MEAN)
#      define WIN32_LEAN_AND_MEAN
#    endif
#    if !defined(NOMINMAX)
#      define NOMINMAX
#    endif
#    include <windows.h>
#  else
#    include <pthread.h>
#    include <errno.h>
#  endif
#endif
#if defined(_WIN32) && !DBM__THREADS
#  if !defined(WIN32_LEAN_AND_MEAN)
#    define WIN32_LEAN_AND_MEAN
#  endif
#  include <windows.h>
#elif defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  include <time.h>
#  include <unistd.h>
#endif

/* Internal functions: static in dbm.h, extern when the rooms are built as separate files. */
#if defined(DBM__SPLIT_BUILD)
#  define DBM__FN extern
#else
#  define DBM__FN static DBM__UNUSED
#endif
#if defined(DBM_STATIC)
#  define DBM__DEF static DBM__UNUSED
#else
#  define DBM__DEF
#endif
#if !defined(DBM_ASSERT)
#  define DBM_ASSERT(condition) ((void)0)
#endif
#if defined(__GNUC__)
#  define DBM__LIKELY(x) __builtin_expect(!!(x), 1)
#  define DBM__UNLIKELY(x) __builtin_expect(!!(x), 0)
#  define DBM__NOINLINE __attribute__((__noinline__))
#  define DBM__INLINE static inline __attribute__((__always_inline__))
#else
#  define DBM__LIKELY(x) (x)
#  define DBM__UNLIKELY(x) (x)
#  define DBM__NOINLINE
#  define DBM__INLINE static inline
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- atomics ------------------------------------------------------------------------------------------------------
 * One machine word is all that is used. Where there are no atomic instructions but threads, a lock stands in for them. */
typedef size_t dbm__word;
#define DBM__WORD_BITS ((int)(sizeof(dbm__word) * CHAR_BIT))
#if !DBM__THREADS
DBM__INLINE dbm__word dbm__load(const dbm__word *p) { return *p; }
DBM__INLINE dbm__word dbm__load_acquire(const dbm__word *p) { return *p; }
DBM__INLINE dbm__word dbm__load_ordered(const dbm__word *p) { return *p; }
DBM__INLINE void dbm__store(dbm__word *p, dbm__word v) { *p = v; }
DBM__INLINE void dbm__store_release(dbm__word *p, dbm__word v) { *p = v; }
DBM__INLINE dbm__word dbm__add(dbm__word *p, dbm__word v) { dbm__word old = *p; *p = old + v; return old; }
DBM__INLINE dbm__word dbm__swap(dbm__word *p, dbm__word v) { dbm__word old = *p; *p = v; return old; }
DBM__INLINE bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    if (*p != *expected) { *expected = *p; return false; }
    *p = desired;
    return true;
}
DBM__INLINE uint32_t dbm__load32(const uint32_t *p) { return *p; }
DBM__INLINE void dbm__store32(uint32_t *p, uint32_t v) { *p = v; }
#elif defined(__GNUC__) && !defined(DBM_NO_ATOMICS)
DBM__INLINE dbm__word dbm__load(const dbm__word *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
DBM__INLINE dbm__word dbm__load_acquire(const dbm__word *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
DBM__INLINE dbm__word dbm__load_ordered(const dbm__word *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } /* after an add or swap of ours */
DBM__INLINE void dbm__store(dbm__word *p, dbm__word v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
DBM__INLINE void dbm__store_release(dbm__word *p, dbm__word v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
DBM__INLINE dbm__word dbm__add(dbm__word *p, dbm__word v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
DBM__INLINE dbm__word dbm__swap(dbm__word *p, dbm__word v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
DBM__INLINE bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
DBM__INLINE uint32_t dbm__load32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
DBM__INLINE void dbm__store32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
#elif defined(_MSC_VER) && !defined(DBM_NO_ATOMICS)
#  if defined(_WIN64)
#    define DBM__MSVC(op) op##64
typedef long long dbm__msvc;
#  else
#    define DBM__MSVC(op) op
typedef long dbm__msvc;
#  endif
DBM__INLINE dbm__word dbm__load(const dbm__word *p) { return *(const volatile dbm__word *)p; }
DBM__INLINE dbm__word dbm__load_acquire(const dbm__word *p) { dbm__word v = *(const volatile dbm__word *)p; MemoryBarrier(); return v; }
DBM__INLINE dbm__word dbm__load_ordered(const dbm__word *p) { dbm__word v; MemoryBarrier(); v = *(const volatile dbm__word *)p; MemoryBarrier(); return v; }
DBM__INLINE void dbm__store(dbm__word *p, dbm__word v) { *(volatile dbm__word *)p = v; }
DBM__INLINE void dbm__store_release(dbm__word *p, dbm__word v) { MemoryBarrier(); *(volatile dbm__word *)p = v; }
DBM__INLINE dbm__word dbm__add(dbm__word *p, dbm__word v) {
    return (dbm__word)DBM__MSVC(_InterlockedExchangeAdd)((volatile dbm__msvc *)p, (dbm__msvc)v);
}
DBM__INLINE dbm__word dbm__swap(dbm__word *p, dbm__word v) {
    return (dbm__word)DBM__MSVC(_InterlockedExchange)((volatile dbm__msvc *)p, (dbm__msvc)v);
}
DBM__INLINE bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    dbm__word old = (dbm__word)DBM__MSVC(_InterlockedCompareExchange)((volatile dbm__msvc *)p, (dbm__msvc)desired, (dbm__msvc)*expected);
    if (old == *expected) return true;
    *expected = old;
    return false;
}
DBM__INLINE uint32_t dbm__load32(const uint32_t *p) { return *(const volatile uint32_t *)p; }
DBM__INLINE void dbm__store32(uint32_t *p, uint32_t v) { *(volatile uint32_t *)p = v; }
#else
DBM__FN dbm__word dbm__load(const dbm__word *p);
DBM__FN dbm__word dbm__load_acquire(const dbm__word *p);
DBM__FN dbm__word dbm__load_ordered(const dbm__word *p);
DBM__FN void dbm__store(dbm__word *p, dbm__word v);
DBM__FN void dbm__store_release(dbm__word *p, dbm__word v);
DBM__FN dbm__word dbm__add(dbm__word *p, dbm__word v);
DBM__FN dbm__word dbm__swap(dbm__word *p, dbm__word v);
DBM__FN bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired);
DBM__FN uint32_t dbm__load32(const uint32_t *p);
DBM__FN void dbm__store32(uint32_t *p, uint32_t v);
#  define DBM__LOCKED_ATOMICS 1
#endif
/* The index of the lowest bit that is set; v is not 0. */
DBM__INLINE int dbm__lowest_bit(dbm__word v) {
#if defined(__GNUC__)
    return sizeof v == sizeof(unsigned long) ? __builtin_ctzl((unsigned long)v) : __builtin_ctzll((unsigned long long)v);
#else
    int i = 0;
    while (!(v & 1u)) { v >>= 1; i++; }
    return i;
#endif
}

/* ---- locks and threads --------------------------------------------------------------------------------------------- */
#if !DBM__THREADS
typedef struct dbm__lock { char none; } dbm__lock;
typedef struct dbm__signal { char none; } dbm__signal;
#elif defined(_WIN32)
typedef struct dbm__lock { SRWLOCK os; } dbm__lock;
typedef struct dbm__signal { CONDITION_VARIABLE os; } dbm__signal;
#else
typedef struct dbm__lock { pthread_mutex_t os; } dbm__lock;
typedef struct dbm__signal { pthread_cond_t os; } dbm__signal;
#endif
DBM__FN bool dbm__lock_init(dbm__lock *lock);
DBM__FN void dbm__lock_free(dbm__lock *lock);
DBM__FN void dbm__lock_take(dbm__lock *lock);
DBM__FN void dbm__lock_give(dbm__lock *lock);
DBM__FN bool dbm__signal_init(dbm__signal *signal);
DBM__FN void dbm__signal_free(dbm__signal *signal);
DBM__FN void dbm__signal_one(dbm__signal *signal);
DBM__FN void dbm__signal_all(dbm__signal *signal);
/* Waits with the lock held, for `us` microseconds of real time at most (INT64_MAX: without limit). Wakes early at will. */
DBM__FN void dbm__signal_wait(dbm__signal *signal, dbm__lock *lock, int64_t us);
DBM__FN void dbm__sleep_us(int64_t us);
/* How often this process image has come out of a fork() as the child. Compared, to know inherited connections. */
DBM__FN dbm__word dbm__fork_epoch(void);
/* Watches for forks from now on; called once per manager, cheap when repeated. */
DBM__FN void dbm__fork_watch(void);
/* Before the epoch is compared at a checkout, a call on a session or a row: without threads nobody tells of a fork, and getpid() is asked. */
#if DBM__THREADS
DBM__INLINE void dbm__fork_look(void) { }
#else
DBM__FN void dbm__fork_look(void);
#endif

/* ---- what the program gave: memory, clock, hooks ---------------------------------------------------------------------
 * One per manager, reached by each of its databases. Reads of the clock also set `tick`, which is precise enough to say how
 * long a connection has been idle where a clock read would cost more than the work. */
typedef struct dbm__heap dbm__heap; /* first-fit allocator in the caller's block */
typedef struct dbm__host {
    dbm_allocator allocator;
    dbm__heap *heap;
    void (*log)(void *ud, dbm_log_level level, int event_id, const char *database, const char *text);
    void *log_ud;
    void (*event)(void *ud, const dbm_event *event);
    void *event_ud;
    int64_t (*clock)(void *ud);
    void *clock_ud;
    dbm__word tick; /* seconds, so that one word holds it everywhere */
    dbm__word random; /* state of dbm__random */
} dbm__host;
DBM__FN dbm_status dbm__host_init(dbm__host *host, const dbm_options *options);
DBM__FN void dbm__host_free(dbm__host *host);
/* NULL when there is no memory; the caller reports with dbm__no_memory(). A size of 0 gives a block too. */
DBM__FN void *dbm__alloc(dbm__host *host, size_t size);
DBM__FN void *dbm__alloc_zero(dbm__host *host, size_t size);
DBM__FN void *dbm__resize(dbm__host *host, void *block, size_t size);
DBM__FN void dbm__free(dbm__host *host, void *block);
/* `size` bytes of a text (SIZE_MAX: up to its NUL; NULL: ""), and a NUL. */
DBM__FN char *dbm__copy_text(dbm__host *host, const char *text, size_t size);
/* Overwrites, in a way that the compiler keeps. */
DBM__FN void dbm__wipe(void *p, size_t size);
/* Monotonic microseconds. */
DBM__FN int64_t dbm__now(dbm__host *host);
/* The time of the last clock read, never later than now; seconds are exact enough here. In microseconds. */
DBM__FN int64_t dbm__tick(dbm__host *host);
/* Waits until `until_us` on the host's clock or until woken; with a clock of the program's it looks every millisecond. */
DBM__FN void dbm__wait_until(dbm__host *host, dbm__signal *signal, dbm__lock *lock, int64_t until_us);
DBM__FN void dbm__sleep_until(dbm__host *host, int64_t until_us);
/* now + ms, saturated; ms < 0 gives INT64_MAX. */
DBM__FN int64_t dbm__deadline(dbm__host *host, int64_t ms);
/* 32 random bits, not for secrets: jitter. */
DBM__FN uint32_t dbm__random(dbm__host *host);

/* ---- texts ---------------------------------------------------------------------------------------------------------
 * Formats: %s text (NULL: "(null)"), %d int, %l int64_t, %u uint64_t, %z size_t, %c char, %q text in 'single quotes', %m microseconds in
 * words ("1.5 s"), %% percent. No other; nothing of the C library's printf is used. */
typedef struct dbm__text { char *data; size_t size, capacity; bool cut; } dbm__text;
/* A text that grows in a fixed block; it is always NUL-terminated, and `cut` says that not all fitted. Once cut, it stays as
 * it is: nothing is put after a gap. */
DBM__FN dbm__text dbm__text_in(char *block, size_t capacity);
DBM__FN void dbm__put(dbm__text *t, const char *text);
DBM__FN void dbm__put_n(dbm__text *t, const char *text, size_t size);
DBM__FN void dbm__put_int(dbm__text *t, int64_t v);
DBM__FN void dbm__putf(dbm__text *t, const char *format, ...);
DBM__FN void dbm__putv(dbm__text *t, const char *format, va_list ap);
DBM__FN void dbm__format(char *block, size_t capacity, const char *format, ...);
/* For texts that people read (dbm__format does it): when not all fitted, the text ends in "...". Where it is cut, no UTF-8
 * sequence is left half. */
DBM__FN void dbm__text_end(dbm__text *t);
/* A copy of text (NULL: ""), cut in that way. */
DBM__FN void dbm__copy_cut(char *block, size_t capacity, const char *text);
/* Compares without case, ASCII only. */
DBM__FN bool dbm__same_word(const char *a, const char *b);
DBM__FN bool dbm__same_word_n(const char *a, size_t an, const char *b);
/* The one of `count` names nearest to `word`, or NULL: without case, up to a third of its letters (one at least) put in, left
 * out, changed or swapped; of equals the first. Words of more than 64 bytes have no nearest. */
DBM__FN const char *dbm__nearest(const char *word, const char *const *names, size_t count);
/* Whether a comma-separated list contains a word, letter for letter; blanks around its items do not count. */
DBM__FN bool dbm__list_has(const char *list, const char *word, size_t size);

/* ---- errors --------------------------------------------------------------------------------------------------------
 * The one thread-local struct. `open` is the list of block sessions of this thread, newest first, kept by session/. */
typedef struct dbm__thread {
    dbm_error_info last;    /* dbm_last_error() */
    dbm_error_info failed;  /* of the last block session that ended, while has_failed */
    bool has_failed;
    void *open;             /* newest open block session, a dbm__slot */
    void *loops;            /* newest open DBM_EACH on a database, which owns its connection: a dbm_rows of session/ */
    uint32_t loops_made;    /* how many of those there have been */
    dbm__word number;       /* this thread's, from 1; 0: not drawn yet */
    dbm__word fork;         /* dbm__fork_epoch() when `open` was last looked at: in a child the parent's blocks are forgotten */
} dbm__thread;
DBM__FN dbm__thread *dbm__self(void);
DBM__FN dbm__word dbm__thread_number(void);
/* Sets this thread's last error and returns status. */
DBM__FN dbm_status dbm__fail(dbm_status status, dbm_stage stage, const char *database, const char *site, const char *format, ...);
DBM__FN dbm_status dbm__no_memory(dbm_stage stage, const char *database, const char *site);
/* Makes a failure from another place this thread's last one; returns its status. */
DBM__FN dbm_status dbm__fail_again(const dbm_error_info *error);
/* For a NULL handle: the status of this thread's last failure, or E_MISUSE with `what`. */
DBM__FN dbm_status dbm__fail_null(const char *what);

/* ---- log and events ------------------------------------------------------------------------------------------------ */
DBM__FN void dbm__event(dbm__host *host, dbm_event_id id, dbm_log_level level, const char *database, const char *site,
                        dbm_status status, int64_t duration_us, const char *format, ...);
#if DBM__STDIO
/* The log hook of a program that set none: "dbm: warning: default: text" to stderr, warnings and errors only. */
DBM__FN void dbm__log_to_stderr(void *ud, dbm_log_level level, int event_id, const char *database, const char *text);
#endif
/* Whether anybody would see an event of this level: asked before a text is made. */
DBM__FN bool dbm__event_wanted(const dbm__host *host, dbm_log_level level);

#ifdef __cplusplus
}
#endif
#endif /* DBM__BASE_H */
/* --- end src/base/base.h --- */
/* --- begin src/base/platform.c --- */
/* The machine: locks, signals, the stand-in for atomics, clock, sleep, fork watch, thread-local struct, memory.
 * May call: base.h's declarations, the C library, the system's threads and clock.
 * Must not know: what is locked, timed or allocated. */

/* Which clock, and which way to sleep, this system has. */
#if defined(_WIN32)
#  define DBM__OS_WINDOWS 1
#  define DBM__OS_POSIX 0
#elif defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__OS_WINDOWS 0
#  define DBM__OS_POSIX 1
#  include <errno.h>
#  if !DBM__THREADS
#    include <unistd.h>
#  endif
#else
#  define DBM__OS_WINDOWS 0
#  define DBM__OS_POSIX 0
#endif

#define DBM__SLICE_US INT64_C(1000)           /* how long a wait on a clock of the program's sleeps between two looks at it */
#define DBM__WAIT_MAX_US INT64_C(86400000000) /* one wait of the system, at most: a day fits every time_t and every DWORD */

/* ---- locks and signals --------------------------------------------------------------------------------------------- */
#if !DBM__THREADS
DBM__FN bool dbm__lock_init(dbm__lock *lock) { lock->none = 0; return true; }
DBM__FN void dbm__lock_free(dbm__lock *lock) { (void)lock; }
DBM__FN void dbm__lock_take(dbm__lock *lock) { (void)lock; }
DBM__FN void dbm__lock_give(dbm__lock *lock) { (void)lock; }
DBM__FN bool dbm__signal_init(dbm__signal *signal) { signal->none = 0; return true; }
DBM__FN void dbm__signal_free(dbm__signal *signal) { (void)signal; }
DBM__FN void dbm__signal_one(dbm__signal *signal) { (void)signal; }
DBM__FN void dbm__signal_all(dbm__signal *signal) { (void)signal; }
#elif DBM__OS_WINDOWS
DBM__FN bool dbm__lock_init(dbm__lock *lock) { InitializeSRWLock(&lock->os); return true; }
DBM__FN void dbm__lock_free(dbm__lock *lock) { (void)lock; }
DBM__FN void dbm__lock_take(dbm__lock *lock) { AcquireSRWLockExclusive(&lock->os); }
DBM__FN void dbm__lock_give(dbm__lock *lock) { ReleaseSRWLockExclusive(&lock->os); }
DBM__FN bool dbm__signal_init(dbm__signal *signal) { InitializeConditionVariable(&signal->os); return true; }
DBM__FN void dbm__signal_free(dbm__signal *signal) { (void)signal; }
DBM__FN void dbm__signal_one(dbm__signal *signal) { WakeConditionVariable(&signal->os); }
DBM__FN void dbm__signal_all(dbm__signal *signal) { WakeAllConditionVariable(&signal->os); }
#else
DBM__FN bool dbm__lock_init(dbm__lock *lock) { return pthread_mutex_init(&lock->os, NULL) == 0; }
DBM__FN void dbm__lock_free(dbm__lock *lock) { (void)pthread_mutex_destroy(&lock->os); }
DBM__FN void dbm__lock_take(dbm__lock *lock) {
    int rc = pthread_mutex_lock(&lock->os);
    DBM_ASSERT(rc == 0);
    (void)rc;
}
DBM__FN void dbm__lock_give(dbm__lock *lock) {
    int rc = pthread_mutex_unlock(&lock->os);
    DBM_ASSERT(rc == 0);
    (void)rc;
}
/* On the monotonic clock: setting the wall clock back must not make a checkout wait for an hour. */
DBM__FN bool dbm__signal_init(dbm__signal *signal) {
#if defined(__APPLE__)
    return pthread_cond_init(&signal->os, NULL) == 0;
#else
    pthread_condattr_t attributes;
    bool ok;
    if (pthread_condattr_init(&attributes) != 0) return false;
    ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&signal->os, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return ok;
#endif
}
DBM__FN void dbm__signal_free(dbm__signal *signal) { (void)pthread_cond_destroy(&signal->os); }
DBM__FN void dbm__signal_one(dbm__signal *signal) { (void)pthread_cond_signal(&signal->os); }
DBM__FN void dbm__signal_all(dbm__signal *signal) { (void)pthread_cond_broadcast(&signal->os); }
#endif

/* Waits, and says whether the wait ended before its time: woken, or for no reason at all. */
static bool dbm__signal_woken(dbm__signal *signal, dbm__lock *lock, int64_t us) {
#if !DBM__THREADS
    (void)signal;
    (void)lock;
    dbm__sleep_us(us < DBM__SLICE_US ? us : DBM__SLICE_US); /* nobody is there to wake: time is all that can change */
    return true;
#elif DBM__OS_WINDOWS
    DWORD ms = INFINITE;
    if (us != INT64_MAX) {
        if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
        ms = us > 0 ? (DWORD)((us + 999) / 1000) : 0;
    }
    return SleepConditionVariableSRW(&signal->os, &lock->os, ms, 0) != 0;
#else
    struct timespec t;
    if (us == INT64_MAX) return pthread_cond_wait(&signal->os, &lock->os) == 0;
    if (us < 0) us = 0;
    if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
#  if defined(__APPLE__)
    t.tv_sec = (time_t)(us / 1000000);
    t.tv_nsec = (long)(us % 1000000) * 1000;
    return pthread_cond_timedwait_relative_np(&signal->os, &lock->os, &t) == 0;
#  else
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return true;
    t.tv_sec += (time_t)(us / 1000000);
    t.tv_nsec += (long)(us % 1000000) * 1000;
    if (t.tv_nsec >= 1000000000L) { t.tv_nsec -= 1000000000L; t.tv_sec++; }
    return pthread_cond_timedwait(&signal->os, &lock->os, &t) == 0;
#  endif
#endif
}

DBM__FN void dbm__signal_wait(dbm__signal *signal, dbm__lock *lock, int64_t us) { (void)dbm__signal_woken(signal, lock, us); }

/* ---- atomics where there are none -----------------------------------------------------------------------------------
 * One lock for all words. It is taken around a fork, or the child could inherit it taken by a thread that it does not have. */
#if defined(DBM__LOCKED_ATOMICS)
#  if DBM__OS_WINDOWS
static SRWLOCK dbm__atomic_lock = SRWLOCK_INIT;
static void dbm__atomic_take(void) { AcquireSRWLockExclusive(&dbm__atomic_lock); }
static void dbm__atomic_give(void) { ReleaseSRWLockExclusive(&dbm__atomic_lock); }
#  else
static pthread_mutex_t dbm__atomic_lock = PTHREAD_MUTEX_INITIALIZER;
static void dbm__atomic_take(void) { (void)pthread_mutex_lock(&dbm__atomic_lock); }
static void dbm__atomic_give(void) { (void)pthread_mutex_unlock(&dbm__atomic_lock); }
#  endif
DBM__FN dbm__word dbm__load(const dbm__word *p) {
    dbm__word v;
    dbm__atomic_take();
    v = *p;
    dbm__atomic_give();
    return v;
}
DBM__FN dbm__word dbm__load_acquire(const dbm__word *p) { return dbm__load(p); }
DBM__FN dbm__word dbm__swap(dbm__word *p, dbm__word v) {
    dbm__word old;
    dbm__atomic_take();
    old = *p;
    *p = v;
    dbm__atomic_give();
    return old;
}
DBM__FN dbm__word dbm__load_ordered(const dbm__word *p) { return dbm__load(p); }
DBM__FN void dbm__store(dbm__word *p, dbm__word v) { (void)dbm__swap(p, v); }
DBM__FN void dbm__store_release(dbm__word *p, dbm__word v) { (void)dbm__swap(p, v); }
DBM__FN dbm__word dbm__add(dbm__word *p, dbm__word v) {
    dbm__word old;
    dbm__atomic_take();
    old = *p;
    *p = old + v;
    dbm__atomic_give();
    return old;
}
DBM__FN bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    bool same;
    dbm__atomic_take();
    same = *p == *expected;
    if (same) *p = desired;
    else *expected = *p;
    dbm__atomic_give();
    return same;
}
DBM__FN uint32_t dbm__load32(const uint32_t *p) {
    uint32_t v;
    dbm__atomic_take();
    v = *p;
    dbm__atomic_give();
    return v;
}
DBM__FN void dbm__store32(uint32_t *p, uint32_t v) {
    dbm__atomic_take();
    *p = v;
    dbm__atomic_give();
}
#endif

/* ---- forks ---------------------------------------------------------------------------------------------------------
 * Handlers are registered once per process image and inherited by children, so a counter in memory is all there is to it. */
#if DBM__THREADS && DBM__OS_POSIX
static dbm__word dbm__forks, dbm__forks_watched;
#  if defined(DBM__LOCKED_ATOMICS)
static void dbm__fork_in_child(void) {
    dbm__forks++;
    dbm__atomic_give();
}
#  else
static void dbm__fork_in_child(void) { (void)dbm__add(&dbm__forks, 1); }
#  endif
DBM__FN dbm__word dbm__fork_epoch(void) { return dbm__load(&dbm__forks); }
DBM__FN void dbm__fork_watch(void) {
    dbm__word no = 0;
    int rc;
    if (dbm__load(&dbm__forks_watched) || !dbm__cas(&dbm__forks_watched, &no, 1)) return;
#  if defined(DBM__LOCKED_ATOMICS)
    rc = pthread_atfork(dbm__atomic_take, dbm__atomic_give, dbm__fork_in_child);
#  else
    rc = pthread_atfork(NULL, NULL, dbm__fork_in_child);
#  endif
    if (rc != 0) dbm__store(&dbm__forks_watched, 0); /* no memory now: the next manager tries again */
}
#elif DBM__OS_POSIX
static dbm__word dbm__forks;
static pid_t dbm__process; /* whose epoch it is; 0: there is no manager yet */
DBM__FN dbm__word dbm__fork_epoch(void) { return dbm__forks; }
DBM__FN void dbm__fork_look(void) {
    pid_t now = getpid();
    if (now == dbm__process) return;
    if (dbm__process != 0) dbm__forks++;
    dbm__process = now;
}
DBM__FN void dbm__fork_watch(void) { dbm__fork_look(); }
#else
DBM__FN dbm__word dbm__fork_epoch(void) { return 0; }
DBM__FN void dbm__fork_watch(void) { }
#  if !DBM__THREADS
DBM__FN void dbm__fork_look(void) { }
#  endif
#endif

/* ---- threads --------------------------------------------------------------------------------------------------------- */
#if !DBM__THREADS
#  define DBM__THREAD_LOCAL
#elif defined(__GNUC__)
#  define DBM__THREAD_LOCAL __thread
#elif defined(_MSC_VER)
#  define DBM__THREAD_LOCAL __declspec(thread)
#elif defined(__cplusplus)
#  define DBM__THREAD_LOCAL thread_local
#else
#  define DBM__THREAD_LOCAL _Thread_local
#endif
static DBM__THREAD_LOCAL dbm__thread dbm__this_thread;

DBM__FN dbm__thread *dbm__self(void) { return &dbm__this_thread; }

DBM__FN dbm__word dbm__thread_number(void) {
    static dbm__word drawn;
    dbm__thread *self = dbm__self();
    if (!self->number) self->number = dbm__add(&drawn, 1) + 1;
    return self->number;
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */
#if defined(DBM_CLOCK_US)
#  define DBM__HAS_CLOCK 1
static int64_t dbm__system_us(void) { return (int64_t)DBM_CLOCK_US(); }
#elif DBM__OS_WINDOWS
#  define DBM__HAS_CLOCK 1
static int64_t dbm__system_us(void) {
    LARGE_INTEGER count, rate;
    QueryPerformanceFrequency(&rate);
    QueryPerformanceCounter(&count);
    /* in two parts: the product of an uptime of days and a million does not fit */
    return count.QuadPart / rate.QuadPart * 1000000 + count.QuadPart % rate.QuadPart * 1000000 / rate.QuadPart;
}
#elif DBM__OS_POSIX
#  define DBM__HAS_CLOCK 1
static int64_t dbm__system_us(void) {
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0;
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
#else
#  define DBM__HAS_CLOCK 0
static int64_t dbm__system_us(void) { return 0; }
#endif

DBM__FN void dbm__sleep_us(int64_t us) {
#if DBM__OS_WINDOWS
    if (us <= 0) return;
    if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
    Sleep((DWORD)((us + 999) / 1000));
#elif DBM__OS_POSIX
    struct timespec t;
    if (us <= 0) return;
    if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
    t.tv_sec = (time_t)(us / 1000000);
    t.tv_nsec = (long)(us % 1000000) * 1000;
    while (nanosleep(&t, &t) != 0 && errno == EINTR) { }
#elif DBM__HAS_CLOCK
    int64_t from = dbm__system_us();
    while (dbm__system_us() - from < us) { }
#else
    (void)us; /* no clock: a pause of unknown length is none */
#endif
}

DBM__FN int64_t dbm__now(dbm__host *host) {
    int64_t us = host->clock ? host->clock(host->clock_ud) : dbm__system_us();
    dbm__word seconds = us > 0 ? (dbm__word)(us / 1000000) : 0;
    if (dbm__load(&host->tick) != seconds) dbm__store(&host->tick, seconds); /* a store would take the cache line from others */
    return us;
}

DBM__FN int64_t dbm__tick(dbm__host *host) { return (int64_t)dbm__load(&host->tick) * 1000000; }

/* until - now, for until > now, whatever their signs. */
static int64_t dbm__left(int64_t now, int64_t until) {
    uint64_t left = (uint64_t)until - (uint64_t)now;
    return until == INT64_MAX || left > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)left;
}

DBM__FN void dbm__wait_until(dbm__host *host, dbm__signal *signal, dbm__lock *lock, int64_t until_us) {
    int64_t now;
    if (!host->clock) {
        now = until_us == INT64_MAX ? 0 : dbm__now(host);
        if (now < until_us) (void)dbm__signal_woken(signal, lock, dbm__left(now, until_us));
        return;
    }
    /* One slice, then back to the caller: a signal that comes between two slices is not seen by either, what it stands for is. */
    now = dbm__now(host);
    if (now < until_us) {
        int64_t left = dbm__left(now, until_us);
        (void)dbm__signal_woken(signal, lock, left < DBM__SLICE_US ? left : DBM__SLICE_US);
    }
}

DBM__FN void dbm__sleep_until(dbm__host *host, int64_t until_us) {
    int64_t now;
    if (!DBM__HAS_CLOCK && !host->clock) return; /* a clock that stands still is never late */
    for (now = dbm__now(host); now < until_us; now = dbm__now(host)) {
        int64_t left = dbm__left(now, until_us);
        dbm__sleep_us(host->clock && left > DBM__SLICE_US ? DBM__SLICE_US : left);
    }
}

DBM__FN int64_t dbm__deadline(dbm__host *host, int64_t ms) {
    int64_t now;
    if (ms < 0) return INT64_MAX;
    now = dbm__now(host);
    if (ms > INT64_MAX / 1000 || (now > 0 && ms * 1000 > INT64_MAX - now)) return INT64_MAX;
    return now + ms * 1000;
}

/* Each call takes the next number of a sequence, so that no two threads get the same, and scrambles it. The process id is
 * mixed in because workers forked from one parent would otherwise all jitter alike. */
DBM__FN uint32_t dbm__random(dbm__host *host) {
    uint64_t x = (uint64_t)dbm__add(&host->random, (dbm__word)0x9E3779B9u);
#if DBM__THREADS && DBM__OS_POSIX
    x ^= (uint64_t)getpid() << 32;
#endif
    x ^= x >> 30;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 27;
    x *= UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(x >> 32);
}

/* ---- the heap in the caller's block ------------------------------------------------------------------------------------
 *
 *   memory                                                                                    memory + size
 *   | dbm__heap | chunk: before size | payload ... | chunk: before size | next prev ... | end |
 *                                                                                        a used chunk of size 0
 * Chunks lie side by side. Each knows its own size and that of the one before it, so a freed chunk finds both neighbours and
 * two free chunks never touch. Free ones are listed by address and the first that fits is taken: that keeps the far end in
 * one piece, for the long-lived blocks that come late. Payloads are aligned to 16 bytes. One lock guards it all. */
typedef struct dbm__chunk {
    size_t before;                  /* bytes of the chunk before this one; 0: this is the first */
    size_t size;                    /* bytes of this one, header included, a multiple of 16; the lowest bit says that it is used */
    struct dbm__chunk *next, *prev; /* free chunks only: the neighbours in the list */
} dbm__chunk;

struct dbm__heap {
    dbm__lock lock;
    dbm__chunk *free_list;
    char *first, *end; /* the first chunk, and the end mark */
};

#define DBM__CHUNK_HEAD offsetof(dbm__chunk, next)
enum { DBM__HEAP_ALIGN = 16, DBM__CHUNK_MIN = (int)((sizeof(dbm__chunk) + 15u) & ~(size_t)15u), DBM__HEAP_MIN = 4096 };

static dbm__chunk *dbm__chunk_at(char *p) { return (dbm__chunk *)(void *)p; }
static size_t dbm__chunk_size(const dbm__chunk *c) { return c->size & ~(size_t)1; }
static dbm__chunk *dbm__chunk_next(dbm__chunk *c) { return dbm__chunk_at((char *)c + dbm__chunk_size(c)); }
static bool dbm__chunk_used(const dbm__chunk *c) { return (c->size & 1u) != 0; }

static dbm__heap *dbm__heap_make(void *memory, size_t size) {
    char *from = (char *)memory, *to = from + size;
    size_t skip = (size_t)(DBM__HEAP_ALIGN - (int)((uintptr_t)from % DBM__HEAP_ALIGN)) % DBM__HEAP_ALIGN;
    dbm__heap *heap = (dbm__heap *)(void *)(from + skip);
    dbm__chunk *c, *end;
    if (!dbm__lock_init(&heap->lock)) return NULL;
    from += skip + sizeof *heap + DBM__CHUNK_HEAD;
    from += (size_t)(DBM__HEAP_ALIGN - (int)((uintptr_t)from % DBM__HEAP_ALIGN)) % DBM__HEAP_ALIGN;
    from -= DBM__CHUNK_HEAD;
    size = (size_t)(to - from) - DBM__CHUNK_HEAD;
    size -= size % DBM__HEAP_ALIGN;
    heap->first = from;
    heap->end = from + size;
    c = heap->free_list = dbm__chunk_at(from);
    c->before = 0;
    c->size = size;
    c->next = c->prev = NULL;
    end = dbm__chunk_at(heap->end);
    end->before = size;
    end->size = 1;
    return heap;
}

/* Bytes of a chunk that holds `size` bytes; 0 when no chunk of this heap can. */
static size_t dbm__heap_need(const dbm__heap *heap, size_t size) {
    size_t whole = (size_t)(heap->end - heap->first);
    if (size > whole - DBM__CHUNK_HEAD) return 0;
    size = (size + DBM__CHUNK_HEAD + DBM__HEAP_ALIGN - 1) & ~(size_t)(DBM__HEAP_ALIGN - 1);
    return size < (size_t)DBM__CHUNK_MIN ? (size_t)DBM__CHUNK_MIN : size;
}

/* Puts `c` where `old` is in the list of free chunks. */
static void dbm__heap_replace(dbm__heap *heap, dbm__chunk *old, dbm__chunk *c) {
    dbm__chunk *next = old->next, *prev = old->prev; /* read first: the two may overlap */
    c->next = next;
    c->prev = prev;
    if (next) next->prev = c;
    if (prev) prev->next = c;
    else heap->free_list = c;
}

static void dbm__heap_unlink(dbm__heap *heap, dbm__chunk *c) {
    if (c->next) c->next->prev = c->prev;
    if (c->prev) c->prev->next = c->next;
    else heap->free_list = c->next;
}

/* Sets a chunk's size, and tells the chunk after it. */
static void dbm__heap_size(dbm__chunk *c, size_t size, size_t used) {
    c->size = size | used;
    dbm__chunk_next(c)->before = size;
}

/* Frees a chunk that is in use. */
static void dbm__heap_drop(dbm__heap *heap, dbm__chunk *c) {
    dbm__chunk *after = dbm__chunk_next(c), *before = c->before ? dbm__chunk_at((char *)c - c->before) : NULL, *at, *last;
    size_t size = dbm__chunk_size(c);
    c->size = size; /* no longer used, even when its header is lost inside of a larger chunk: a second free must see that */
    if (before && dbm__chunk_used(before)) before = NULL;
    if (dbm__chunk_used(after)) after = NULL;
    if (after) size += after->size;
    if (before) {
        if (after) dbm__heap_unlink(heap, after);
        size += before->size;
        c = before;
    } else if (after) {
        dbm__heap_replace(heap, after, c);
    } else {
        last = NULL;
        for (at = heap->free_list; at && (char *)at < (char *)c; at = at->next) last = at;
        c->next = at;
        c->prev = last;
        if (at) at->prev = c;
        if (last) last->next = c;
        else heap->free_list = c;
    }
    dbm__heap_size(c, size, 0);
}

/* Gives back what a used chunk has beyond `need`, when that is enough for a chunk. */
static void dbm__heap_trim(dbm__heap *heap, dbm__chunk *c, size_t need) {
    size_t size = dbm__chunk_size(c);
    dbm__chunk *rest;
    if (size - need < (size_t)DBM__CHUNK_MIN) return;
    dbm__heap_size(c, need, 1);
    rest = dbm__chunk_next(c);
    rest->before = need;
    dbm__heap_size(rest, size - need, 1);
    dbm__heap_drop(heap, rest);
}

/* The used chunk of a payload, or NULL for an address that is none: freed twice, or never ours. */
static dbm__chunk *dbm__heap_chunk(const dbm__heap *heap, void *block) {
    char *p = (char *)block;
    dbm__chunk *c;
    bool ok = p > heap->first && p < heap->end && (size_t)(p - heap->first) % DBM__HEAP_ALIGN == DBM__CHUNK_HEAD % DBM__HEAP_ALIGN;
    c = ok ? dbm__chunk_at(p - DBM__CHUNK_HEAD) : NULL;
    ok = c && dbm__chunk_used(c) && dbm__chunk_size(c) <= (size_t)(heap->end - (char *)c)
        && dbm__chunk_next(c)->before == dbm__chunk_size(c);
    DBM_ASSERT(ok);
    return ok ? c : NULL;
}

static void *dbm__heap_take(dbm__heap *heap, size_t size) {
    size_t need = dbm__heap_need(heap, size), rest;
    dbm__chunk *c = need ? heap->free_list : NULL, *left;
    while (c && c->size < need) c = c->next;
    if (!c) return NULL;
    rest = c->size - need;
    if (rest >= (size_t)DBM__CHUNK_MIN) {
        left = dbm__chunk_at((char *)c + need);
        dbm__heap_replace(heap, c, left);
        left->before = need;
        dbm__heap_size(left, rest, 0);
        c->size = need | 1u;
    } else {
        dbm__heap_unlink(heap, c);
        c->size |= 1u;
    }
    return (char *)c + DBM__CHUNK_HEAD;
}

static void *dbm__heap_alloc(dbm__heap *heap, size_t size) {
    void *block;
    dbm__lock_take(&heap->lock);
    block = dbm__heap_take(heap, size);
    dbm__lock_give(&heap->lock);
    return block;
}

static void dbm__heap_release(dbm__heap *heap, void *block) {
    dbm__chunk *c;
    dbm__lock_take(&heap->lock);
    c = dbm__heap_chunk(heap, block);
    if (c) dbm__heap_drop(heap, c);
    dbm__lock_give(&heap->lock);
}

static void *dbm__heap_resize(dbm__heap *heap, void *block, size_t size) {
    size_t need = dbm__heap_need(heap, size), now;
    void *out = NULL;
    dbm__chunk *c, *after;
    dbm__lock_take(&heap->lock);
    c = need ? dbm__heap_chunk(heap, block) : NULL;
    if (c) {
        now = dbm__chunk_size(c);
        after = dbm__chunk_next(c);
        if (need > now && !dbm__chunk_used(after) && after->size >= need - now) {
            dbm__heap_unlink(heap, after);
            now += after->size;
            dbm__heap_size(c, now, 1);
        }
        if (need <= now) {
            dbm__heap_trim(heap, c, need);
            out = block;
        } else {
            out = dbm__heap_take(heap, size);
            if (out) {
                memcpy(out, block, now - DBM__CHUNK_HEAD);
                dbm__heap_drop(heap, c);
            }
        }
    }
    dbm__lock_give(&heap->lock);
    return out;
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */
#if defined(DBM_MALLOC) || defined(DBM_REALLOC) || defined(DBM_FREE)
#  if !defined(DBM_MALLOC) || !defined(DBM_REALLOC) || !defined(DBM_FREE)
#    error "dbm: define all three of DBM_MALLOC(size), DBM_REALLOC(block, size) and DBM_FREE(block), or none of them"
#  endif
static void *dbm__default_alloc(void *ud, size_t size) { (void)ud; return DBM_MALLOC(size); }
static void *dbm__default_resize(void *ud, void *block, size_t size) { (void)ud; return DBM_REALLOC(block, size); }
static void dbm__default_release(void *ud, void *block) { (void)ud; DBM_FREE(block); }
#else
static void *dbm__default_alloc(void *ud, size_t size) { (void)ud; return malloc(size); }
static void *dbm__default_resize(void *ud, void *block, size_t size) { (void)ud; return realloc(block, size); }
static void dbm__default_release(void *ud, void *block) { (void)ud; free(block); }
#endif

DBM__FN dbm_status dbm__host_init(dbm__host *host, const dbm_options *options) {
    dbm_options defaults;
    const dbm_options *o = options ? options : &defaults;
    int hooks;
    memset(&defaults, 0, sizeof defaults);
    memset(host, 0, sizeof *host);
    hooks = (o->allocator.alloc ? 1 : 0) + (o->allocator.resize ? 1 : 0) + (o->allocator.release ? 1 : 0);
    if (hooks != 0 && hooks != 3) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "",
                         "dbm_options.allocator: alloc, resize and release are needed together; set all three or none");
    }
    if (hooks && o->memory) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "",
                         "dbm_options: memory and allocator are both set; a manager lives in one of them");
    }
    if (o->memory_size && !o->memory) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "", "dbm_options.memory_size is %z, but memory is NULL", o->memory_size);
    }
    if (o->memory && o->memory_size < (size_t)DBM__HEAP_MIN) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "",
                         "dbm_options.memory_size is %z bytes; a manager needs %d at least", o->memory_size, (int)DBM__HEAP_MIN);
    }
    host->allocator.alloc = dbm__default_alloc;
    host->allocator.resize = dbm__default_resize;
    host->allocator.release = dbm__default_release;
    if (hooks) host->allocator = o->allocator;
    if (o->memory) {
        host->heap = dbm__heap_make(o->memory, o->memory_size);
        if (!host->heap) return dbm__no_memory(DBM_STAGE_CONFIG, "", "");
    }
    host->log = o->log;
    host->log_ud = o->log_ud;
#if DBM__STDIO
    if (!host->log) host->log = dbm__log_to_stderr;
#endif
    host->event = o->event;
    host->event_ud = o->event_ud;
    host->clock = o->clock;
    host->clock_ud = o->clock_ud;
    host->random = (dbm__word)((uint64_t)dbm__now(host) * UINT64_C(0x9E3779B97F4A7C15)) ^ (dbm__word)(uintptr_t)host;
    return DBM_OK;
}

DBM__FN void dbm__host_free(dbm__host *host) {
    if (host->heap) dbm__lock_free(&host->heap->lock);
    host->heap = NULL;
}

/* No object is larger than half of the address space: pointer differences must fit. */
DBM__FN void *dbm__alloc(dbm__host *host, size_t size) {
    if (size > SIZE_MAX / 2) return NULL;
    if (!size) size = 1;
    return host->heap ? dbm__heap_alloc(host->heap, size) : host->allocator.alloc(host->allocator.ud, size);
}

DBM__FN void *dbm__alloc_zero(dbm__host *host, size_t size) {
    void *block = dbm__alloc(host, size);
    if (block) memset(block, 0, size);
    return block;
}

DBM__FN void *dbm__resize(dbm__host *host, void *block, size_t size) {
    if (!block) return dbm__alloc(host, size);
    if (size > SIZE_MAX / 2) return NULL;
    if (!size) size = 1;
    return host->heap ? dbm__heap_resize(host->heap, block, size) : host->allocator.resize(host->allocator.ud, block, size);
}

DBM__FN void dbm__free(dbm__host *host, void *block) {
    if (!block) return;
    if (host->heap) dbm__heap_release(host->heap, block);
    else host->allocator.release(host->allocator.ud, block);
}

DBM__FN char *dbm__copy_text(dbm__host *host, const char *text, size_t size) {
    char *copy;
    if (!text) size = 0;
    else if (size == SIZE_MAX) size = strlen(text);
    copy = size < SIZE_MAX / 2 ? (char *)dbm__alloc(host, size + 1) : NULL;
    if (!copy) return NULL;
    if (size) memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}

DBM__FN void dbm__wipe(void *p, size_t size) {
    volatile unsigned char *bytes = (volatile unsigned char *)p;
    while (size--) *bytes++ = 0;
}
/* --- end src/base/platform.c --- */
/* --- begin src/base/text.c --- */
/* Texts: the builder, its formats, comparing words, and finding the word that was probably meant.
 * May call: base.h's declarations, the C library's memory and string functions.
 * Must not know: what a text is for. It allocates nothing and reports nothing. */

/* ---- cutting ------------------------------------------------------------------------------------------------------- */

/* `size` without a UTF-8 sequence that begins in the last bytes and does not end there. Bytes that are not UTF-8 stay. */
static size_t dbm__whole(const char *data, size_t size) {
    size_t back, need;
    for (back = 1; back <= 4 && back <= size; back++) {
        unsigned char c = (unsigned char)data[size - back];
        if ((c & 0xC0u) == 0x80u) continue;
        need = c >= 0xF0u ? 4 : c >= 0xE0u ? 3 : c >= 0xC0u ? 2 : 1;
        return need > back ? size - back : size;
    }
    return size;
}

DBM__FN dbm__text dbm__text_in(char *block, size_t capacity) {
    dbm__text t;
    t.data = block;
    t.size = 0;
    t.capacity = capacity;
    t.cut = false;
    if (capacity) block[0] = 0;
    return t;
}

DBM__FN void dbm__text_end(dbm__text *t) {
    if (!t->cut || t->capacity < 4) return;
    if (t->size > t->capacity - 4) t->size = dbm__whole(t->data, t->capacity - 4);
    memcpy(t->data + t->size, "...", 4);
    t->size += 3;
}

/* ---- putting ------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__put_n(dbm__text *t, const char *text, size_t size) {
    size_t room;
    if (t->cut || !size) return; /* what follows a gap would read as if there were none */
    room = t->capacity ? t->capacity - 1 - t->size : 0;
    if (size > room) {
        t->cut = true;
        if (!t->capacity) return;
        size = room;
    }
    if (size) memcpy(t->data + t->size, text, size);
    t->size += size;
    if (t->cut) t->size = dbm__whole(t->data, t->size);
    t->data[t->size] = 0;
}

DBM__FN void dbm__put(dbm__text *t, const char *text) {
    if (!text) text = "(null)";
    dbm__put_n(t, text, strlen(text));
}

static void dbm__put_uint(dbm__text *t, uint64_t v, bool negative) {
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + (int)(v % 10u));
        v /= 10u;
    } while (v);
    if (negative) digits[--at] = '-';
    dbm__put_n(t, digits + at, sizeof digits - at);
}

DBM__FN void dbm__put_int(dbm__text *t, int64_t v) {
    dbm__put_uint(t, v < 0 ? 0u - (uint64_t)v : (uint64_t)v, v < 0);
}

/* Cut down, never rounded up: "held for 2 s" then means at least two. */
static void dbm__put_duration(dbm__text *t, int64_t us) {
    static const struct { uint32_t seconds, part; const char *unit, *part_unit; } steps[] = {
        { 86400u, 3600u, " d", " h" }, { 3600u, 60u, " h", " min" }, { 60u, 1u, " min", " s" }
    };
    uint64_t v = us < 0 ? 0u - (uint64_t)us : (uint64_t)us, seconds = v / 1000000u, tenths;
    size_t i;
    const char *unit = " s";
    if (us < 0) dbm__put_n(t, "-", 1);
    for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (seconds < steps[i].seconds) continue;
        dbm__put_uint(t, seconds / steps[i].seconds, false);
        dbm__put(t, steps[i].unit);
        seconds = seconds % steps[i].seconds / steps[i].part;
        if (seconds) {
            dbm__put_n(t, " ", 1);
            dbm__put_uint(t, seconds, false);
            dbm__put(t, steps[i].part_unit);
        }
        return;
    }
    if (v < 1000u) {
        dbm__put_uint(t, v, false);
        dbm__put_n(t, " us", 3);
        return;
    }
    tenths = v / 100000u;
    if (v < 1000000u) { tenths = v / 100u; unit = " ms"; }
    dbm__put_uint(t, tenths / 10u, false);
    if (tenths < 100u && tenths % 10u) {
        dbm__put_n(t, ".", 1);
        dbm__put_uint(t, tenths % 10u, false);
    }
    dbm__put(t, unit);
}

/* ---- formats ------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__putv(dbm__text *t, const char *format, va_list ap) {
    const char *from, *text;
    char c;
    while (*format) {
        from = format;
        while (*format && *format != '%') format++;
        dbm__put_n(t, from, (size_t)(format - from));
        if (!*format || !format[1]) break;
        switch (format[1]) {
        case 's': dbm__put(t, va_arg(ap, const char *)); break;
        case 'd': dbm__put_int(t, va_arg(ap, int)); break;
        case 'l': dbm__put_int(t, va_arg(ap, int64_t)); break;
        case 'u': dbm__put_uint(t, va_arg(ap, uint64_t), false); break;
        case 'z': dbm__put_uint(t, va_arg(ap, size_t), false); break;
        case 'm': dbm__put_duration(t, va_arg(ap, int64_t)); break;
        case 'c':
            c = (char)va_arg(ap, int);
            dbm__put_n(t, &c, 1);
            break;
        case 'q':
            text = va_arg(ap, const char *);
            if (text) dbm__put_n(t, "'", 1);
            dbm__put(t, text);
            if (text) dbm__put_n(t, "'", 1);
            break;
        case '%': dbm__put_n(t, "%", 1); break;
        default: /* an unknown one shows as it stands: it takes no argument, so the ones after it stay right */
            DBM_ASSERT(format[1] == 0);
            dbm__put_n(t, format, 2);
            break;
        }
        format += 2;
    }
}

DBM__FN void dbm__putf(dbm__text *t, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    dbm__putv(t, format, ap);
    va_end(ap);
}

DBM__FN void dbm__format(char *block, size_t capacity, const char *format, ...) {
    dbm__text t = dbm__text_in(block, capacity);
    va_list ap;
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    dbm__text_end(&t);
}

DBM__FN void dbm__copy_cut(char *block, size_t capacity, const char *text) {
    dbm__text t = dbm__text_in(block, capacity);
    if (text) dbm__put(&t, text);
    dbm__text_end(&t);
}

/* ---- words --------------------------------------------------------------------------------------------------------- */

/* Not tolower(): that follows the program's locale, in which I and i need not be the same letter. */
static int dbm__lower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c; }

DBM__FN bool dbm__same_word_n(const char *a, size_t an, const char *b) {
    if (!a || !b) return false;
    for (; an; an--, a++, b++) {
        if (!*b || dbm__lower(*a) != dbm__lower(*b)) return false;
    }
    return !*b;
}

DBM__FN bool dbm__same_word(const char *a, const char *b) { return a && dbm__same_word_n(a, strlen(a), b); }

DBM__FN bool dbm__list_has(const char *list, const char *word, size_t size) {
    if (!list || !word || !size) return false;
    while (*list) {
        const char *from, *to;
        while (*list == ' ' || *list == ',') list++;
        from = list;
        while (*list && *list != ',') list++;
        to = list;
        while (to > from && to[-1] == ' ') to--;
        if ((size_t)(to - from) == size && memcmp(from, word, size) == 0) return true;
    }
    return false;
}

enum { DBM__NEAREST_MAX = 64 }; /* longer words are not compared: no name or key is that long */

/* How many letters must be put in, left out, changed or swapped with their neighbour. Three rows are kept: a swap looks two back. */
static size_t dbm__distance(const char *a, size_t an, const char *b, size_t bn) {
    unsigned char rows[3][DBM__NEAREST_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2], *turn;
    size_t i, j, best;
    for (j = 0; j <= bn; j++) before[j] = last[j] = (unsigned char)j;
    for (i = 1; i <= an; i++) {
        row[0] = (unsigned char)i;
        for (j = 1; j <= bn; j++) {
            int x = dbm__lower(a[i - 1]), y = dbm__lower(b[j - 1]);
            best = (size_t)last[j - 1] + (x != y);
            if (best > (size_t)last[j] + 1) best = (size_t)last[j] + 1;
            if (best > (size_t)row[j - 1] + 1) best = (size_t)row[j - 1] + 1;
            if (i > 1 && j > 1 && x == dbm__lower(b[j - 2]) && y == dbm__lower(a[i - 2]) && best > (size_t)before[j - 2] + 1) {
                best = (size_t)before[j - 2] + 1;
            }
            row[j] = (unsigned char)best;
        }
        turn = before;
        before = last;
        last = row;
        row = turn;
    }
    return last[bn];
}

DBM__FN const char *dbm__nearest(const char *word, const char *const *names, size_t count) {
    const char *found = NULL;
    size_t length, limit, i;
    if (!word) return NULL;
    length = strlen(word);
    if (!length || length > DBM__NEAREST_MAX) return NULL;
    limit = length / 3 ? length / 3 : 1;
    for (i = 0; i < count; i++) {
        size_t size = names[i] ? strlen(names[i]) : 0, distance;
        if (!size || size > DBM__NEAREST_MAX || (size > length ? size - length : length - size) > limit) continue;
        distance = dbm__distance(word, length, names[i], size);
        if (distance > limit || distance >= (size > length ? size : length)) continue; /* some letter must be common */
        found = names[i];
        if (!distance) break;
        limit = distance - 1;
    }
    return found;
}
/* --- end src/base/text.c --- */
/* --- begin src/base/error.c --- */
/* Failures and events: this thread's last error, the names of statuses, the log and the event hook.
 * May call: base.h's declarations (text.c, platform.c).
 * Must not know: who fails. Nothing here allocates or locks. */

/* ---- statuses -------------------------------------------------------------------------------------------------------- */

DBM__DEF const char *dbm_status_name(dbm_status status) {
    switch ((int)status) {
#define DBM__CASE(name, number, text) case number: return "DBM_" #name;
    DBM_STATUS_LIST(DBM__CASE)
#undef DBM__CASE
    default: return "?";
    }
}

DBM__DEF const char *dbm_status_text(dbm_status status) {
    switch ((int)status) {
#define DBM__CASE(name, number, text) case number: return text;
    DBM_STATUS_LIST(DBM__CASE)
#undef DBM__CASE
    default: return "?";
    }
}

DBM__DEF const dbm_error_info *dbm_last_error(void) { return &dbm__self()->last; }

/* ---- failures -------------------------------------------------------------------------------------------------------- */

/* Built aside and then copied: the texts may come from the very error that they replace. */
DBM__FN DBM__NOINLINE dbm_status dbm__fail(dbm_status status, dbm_stage stage, const char *database, const char *site,
                                           const char *format, ...) {
    dbm_error_info error;
    dbm__text text;
    va_list ap;
    memset(&error, 0, sizeof error);
    error.status = status;
    error.stage = stage;
    error.retryable = status == DBM_E_SERIALIZATION || status == DBM_E_DEADLOCK; /* so says what they mean */
    dbm__copy_cut(error.database, sizeof error.database, database);
    dbm__copy_cut(error.site, sizeof error.site, site);
    if (format) {
        text = dbm__text_in(error.message, sizeof error.message);
        va_start(ap, format);
        dbm__putv(&text, format, ap);
        va_end(ap);
        dbm__text_end(&text);
    }
    if (!error.message[0]) dbm__copy_cut(error.message, sizeof error.message, dbm_status_text(status));
    dbm__self()->last = error;
    return status;
}

DBM__FN dbm_status dbm__no_memory(dbm_stage stage, const char *database, const char *site) {
    return dbm__fail(DBM_E_NOMEM, stage, database, site, NULL);
}

DBM__FN dbm_status dbm__fail_again(const dbm_error_info *error) {
    dbm__thread *self = dbm__self();
    if (error != &self->last) self->last = *error;
    return error->status;
}

DBM__FN dbm_status dbm__fail_null(const char *what) {
    dbm_status status = dbm__self()->last.status;
    return status != DBM_OK ? status : dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", "", "%s", what);
}

/* ---- log and events ---------------------------------------------------------------------------------------------------- */

#if DBM__STDIO
/* In one write, so that the lines of two threads do not mix. */
DBM__FN void dbm__log_to_stderr(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    char line[1400];
    dbm__text t;
    (void)ud;
    if (level > DBM_LOG_WARNING) return;
    t = dbm__text_in(line, sizeof line - 1); /* one byte is left for the end of the line */
    dbm__put(&t, level == DBM_LOG_ERROR ? "dbm: error: " : "dbm: warning: ");
    if (database[0]) dbm__putf(&t, "%s: ", database);
    if (text[0]) dbm__put(&t, text);
    else dbm__putf(&t, "event %d", event_id);
    dbm__text_end(&t);
    line[t.size] = '\n';
    (void)fwrite(line, 1, t.size + 1, stderr);
}
#  define DBM__IS_DEFAULT_LOG(host) ((host)->log == dbm__log_to_stderr)
#else
#  define DBM__IS_DEFAULT_LOG(host) false
#endif

/* The default hook prints warnings and errors only; it need not be asked for the rest. */
static bool dbm__log_wanted(const dbm__host *host, dbm_log_level level) {
    return host->log && (level <= DBM_LOG_WARNING || !DBM__IS_DEFAULT_LOG(host));
}

DBM__FN bool dbm__event_wanted(const dbm__host *host, dbm_log_level level) {
    return host->event || dbm__log_wanted(host, level);
}

#if DBM__LOG_TEXT
static const char *dbm__event_text(dbm_event_id id) {
    switch ((int)id) {
#define DBM__CASE(name, number, text) case number: return text;
    DBM_EVENT_LIST(DBM__CASE)
#undef DBM__CASE
    default: return "";
    }
}
#endif

DBM__FN DBM__NOINLINE void dbm__event(dbm__host *host, dbm_event_id id, dbm_log_level level, const char *database,
                                      const char *site, dbm_status status, int64_t duration_us, const char *format, ...) {
    dbm_event event;
#if DBM__LOG_TEXT
    char block[1200];
    dbm__text text;
    va_list ap;
#endif
    if (!dbm__event_wanted(host, level)) return;
    event.id = id;
    event.level = level;
    event.database = database ? database : "";
    event.site = site ? site : "";
    event.text = "";
    event.status = status;
    event.duration_us = duration_us;
#if DBM__LOG_TEXT
    text = dbm__text_in(block, sizeof block);
    if (format) {
        va_start(ap, format);
        dbm__putv(&text, format, ap);
        va_end(ap);
        dbm__text_end(&text);
    }
    event.text = block[0] ? block : dbm__event_text(id);
#else
    (void)format;
#endif
    if (host->event) host->event(host->event_ud, &event);
    if (dbm__log_wanted(host, level)) host->log(host->log_ud, level, (int)id, event.database, event.text);
}
/* --- end src/base/error.c --- */
/* --- begin src/net/net.h --- */
/* Sockets, as far as they are the same for every backend: waiting for one, and asking whether its peer is still there.
 * May call: api/, base/.
 * Must not know: protocols, pools, sessions. */
#ifndef DBM__NET_H
#define DBM__NET_H

#ifdef __cplusplus
extern "C" {
#endif

/* Waits until fd is ready for `want` (DBM_STEP_READ, DBM_STEP_WRITE, or both), until until_us on the host's clock at the latest
 * (INT64_MAX: a second at the most, so that the caller can look around; a time that has passed: one look). A negative fd is only waited with, as is DBM_STEP_TIMER.
 * Returns   DBM_OK: ready, also for the end of the stream and for an error that reading or writing will tell;
 *           DBM_E_TIMEOUT; DBM_E_LOST: fd is none, or is broken with nothing to read or write; DBM_E_UNSUPPORTED: this system
 *           cannot wait for sockets. The thread's last failure is left to the caller, who knows the database. */
DBM__FN dbm_status dbm__net_wait(dbm__host *host, int fd, int want, int64_t until_us);

/* The same for up to DBM__NET_MANY sockets at once: comes back when one is ready, or at the time. `heard` of each says what dbm__net_wait() would
 * have; one with a negative fd is only waited with. */
#define DBM__NET_MANY 64
typedef struct dbm__net_item { int fd, want; dbm_status heard; } dbm__net_item;
DBM__FN void dbm__net_wait_many(dbm__host *host, dbm__net_item *items, int count, int64_t until_us);

/* Looks at an idle connection without a round trip and without reading from it.
 * Returns   DBM_OK: open and silent; DBM_E_LOST: closed, broken, or bytes came that nobody asked for; DBM_E_UNSUPPORTED. */
DBM__FN dbm_status dbm__net_peek(int fd);

#ifdef __cplusplus
}
#endif
#endif /* DBM__NET_H */
/* --- end src/net/net.h --- */
/* --- begin src/net/poll.c --- */
/* Waiting for one socket, and peeking at it. Neither reads, writes, nor raises a signal.
 * May call: base/, the system's poll() and recv().
 * Must not know: what travels over the socket. */

#if defined(_WIN32)
#  define DBM__POLL 1
/* WSAPoll() by hand: a program without sockets then needs neither winsock2.h, which must come before windows.h, nor ws2_32 on
 * its link line; one with sockets has that library loaded. */
typedef struct dbm__poll_fd { UINT_PTR fd; SHORT events, revents; } dbm__poll_fd;
typedef UINT_PTR dbm__poll_number;
enum { DBM__POLL_IN = 0x0300, DBM__POLL_OUT = 0x0010 };
static int dbm__poll(dbm__poll_fd *p, int count, int ms, bool *again) {
    typedef int (WINAPI *dbm__wsapoll)(dbm__poll_fd *, ULONG, INT);
    HMODULE library = GetModuleHandleA("ws2_32.dll");
    dbm__wsapoll call = library ? (dbm__wsapoll)(void (*)(void))GetProcAddress(library, "WSAPoll") : NULL;
    *again = false;
    return call ? call(p, (ULONG)count, ms) : -2;
}
#elif defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__POLL 1
#  include <errno.h>
#  include <poll.h>
#  include <sys/types.h>
#  include <sys/socket.h>
typedef struct pollfd dbm__poll_fd;
typedef int dbm__poll_number;
enum { DBM__POLL_IN = POLLIN, DBM__POLL_OUT = POLLOUT };
static int dbm__poll(dbm__poll_fd *p, int count, int ms, bool *again) {
    int n = poll(p, (nfds_t)count, ms);
    *again = n < 0 && (errno == EINTR || errno == EAGAIN);
    return n;
}
#else
#  define DBM__POLL 0
#endif

#if DBM__POLL
/* Milliseconds to the time, rounded up so that the last one is not spent in a spin; an hour at most, as poll() takes an int. */
static int dbm__poll_ms(dbm__host *host, int64_t until_us) {
    const int64_t hour_us = INT64_C(3600000000);
    int64_t now, left_us;
    if (until_us == INT64_MAX && !host->clock) return 1000;
    now = dbm__now(host);
    if (now >= until_us) return 0;
    if (host->clock) return 1; /* a clock of the program's may jump: look at it every millisecond */
    left_us = (uint64_t)until_us - (uint64_t)now > (uint64_t)hour_us ? hour_us : until_us - now;
    return (int)((left_us + 999) / 1000);
}

DBM__FN dbm_status dbm__net_wait(dbm__host *host, int fd, int want, int64_t until_us) {
    dbm__poll_fd p;
    int n, ms;
    bool again;
    if (fd < 0 || !(want & DBM_STEP_BOTH)) {
        dbm__sleep_until(host, until_us);
        return DBM_E_TIMEOUT;
    }
    for (;;) {
        memset(&p, 0, sizeof p);
        p.fd = (dbm__poll_number)fd;
        if (want & DBM_STEP_READ) p.events = (short)(p.events | DBM__POLL_IN);
        if (want & DBM_STEP_WRITE) p.events = (short)(p.events | DBM__POLL_OUT);
        ms = dbm__poll_ms(host, until_us);
        n = dbm__poll(&p, 1, ms, &again);
        if (n > 0) return p.revents & p.events ? DBM_OK : DBM_E_LOST;
        if (n == -2) return DBM_E_UNSUPPORTED;
        if (n < 0 && !again) return DBM_E_LOST;
        if (n == 0 && (ms == 0 || until_us == INT64_MAX)) return DBM_E_TIMEOUT;
    }
}

DBM__FN void dbm__net_wait_many(dbm__host *host, dbm__net_item *items, int count, int64_t until_us) {
    dbm__poll_fd p[DBM__NET_MANY];
    int which[DBM__NET_MANY], i, n, polled = 0;
    bool again;
    for (i = 0; i < count; i++) {
        items[i].heard = DBM_E_TIMEOUT;
        if (items[i].fd < 0 || !(items[i].want & DBM_STEP_BOTH)) continue;
        memset(&p[polled], 0, sizeof p[polled]);
        p[polled].fd = (dbm__poll_number)items[i].fd;
        if (items[i].want & DBM_STEP_READ) p[polled].events = (short)(p[polled].events | DBM__POLL_IN);
        if (items[i].want & DBM_STEP_WRITE) p[polled].events = (short)(p[polled].events | DBM__POLL_OUT);
        which[polled++] = i;
    }
    if (polled == 0) {
        dbm__sleep_until(host, until_us);
        return;
    }
    for (;;) {
        int ms = dbm__poll_ms(host, until_us);
        n = dbm__poll(p, polled, ms, &again);
        if (n > 0 || (n < 0 && !again)) break;
        if (n == 0 && (ms == 0 || until_us == INT64_MAX)) return;
    }
    for (i = 0; i < polled; i++) {
        if (n == -2) items[which[i]].heard = DBM_E_UNSUPPORTED;
        else if (n < 0) items[which[i]].heard = DBM_E_LOST;
        else if (p[i].revents != 0) items[which[i]].heard = p[i].revents & p[i].events ? DBM_OK : DBM_E_LOST;
    }
}
#else
DBM__FN void dbm__net_wait_many(dbm__host *host, dbm__net_item *items, int count, int64_t until_us) {
    int i;
    for (i = 0; i < count; i++) items[i].heard = items[i].fd >= 0 && (items[i].want & DBM_STEP_BOTH) ? DBM_E_UNSUPPORTED : DBM_E_TIMEOUT;
    for (i = 0; i < count; i++) if (items[i].heard == DBM_E_UNSUPPORTED) return;
    dbm__sleep_until(host, until_us);
}

DBM__FN dbm_status dbm__net_wait(dbm__host *host, int fd, int want, int64_t until_us) {
    if (fd >= 0 && (want & DBM_STEP_BOTH)) return DBM_E_UNSUPPORTED;
    dbm__sleep_until(host, until_us);
    return DBM_E_TIMEOUT;
}
#endif

#if DBM__POLL && !defined(_WIN32)
DBM__FN dbm_status dbm__net_peek(int fd) {
    char byte;
    ssize_t n;
    do n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? DBM_OK : DBM_E_LOST;
}
#elif DBM__POLL
/* Being readable says it all: an end, an error and unexpected bytes are one answer. */
DBM__FN dbm_status dbm__net_peek(int fd) {
    dbm__poll_fd p;
    int n;
    bool again;
    if (fd < 0) return DBM_E_LOST;
    memset(&p, 0, sizeof p);
    p.fd = (dbm__poll_number)fd;
    p.events = (short)DBM__POLL_IN;
    n = dbm__poll(&p, 1, 0, &again);
    return n == -2 ? DBM_E_UNSUPPORTED : n == 0 ? DBM_OK : DBM_E_LOST;
}
#else
DBM__FN dbm_status dbm__net_peek(int fd) { (void)fd; return DBM_E_UNSUPPORTED; }
#endif
/* --- end src/net/poll.c --- */
/* --- begin src/config/config.h --- */
/* Configuration: texts in, checked settings out; and the blanking of secrets. Reads INI (inih), URLs, ${ENV}, overrides.
 * May call: api/, base/.
 * Must not know: what an adapter is. It parses against a table of types and keys that it is given. */
#ifndef DBM__CONFIG_H
#define DBM__CONFIG_H

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the rules of an INI file ----------------------------------------------------------------------------------------
 * Lines     end in LF, CRLF or CR; a UTF-8 byte order mark is skipped; a NUL byte is an error. Any length.
 * Comments  a line whose first visible character is ; or #. At the end of a value a comment begins at a `;`
 *             - after a blank, in keys whose values are numbers, times, words or paths,
 *             - between two blanks, or between a blank and the end, in url, connect_args.x and an adapter's own keys,
 *             - never, in init_sql.
 *           So `postgresql://app:a ;b@db/shop` arrives whole.
 * Quotes    a value that begins with " runs to the next single ", with "" for one inside; nothing in it is a comment.
 *           Variables are replaced in it too.
 * Long      an indented line continues the value above, with one blank between. An indented line that looks like a known key
 *           or a section is an error rather than a part of that value.
 * Variables ${NAME} and ${NAME:-default} (when unset or empty; it ends at the first brace), $$ is one $, any other $ is
 *           itself. What was put in is not looked at again. In a URL the structure is read first: a variable is a whole or
 *           partial user, password, host list, path or parameter, and is not percent-decoded. Only when the text has no ://
 *           of its own (url = ${DATABASE_URL}) the variable's text is read as a URL.
 * Overrides DBM__DATABASES__NAME__KEY, upper case, - in both as _, the . of connect_args.x as __; taken as it is, without
 *           variables; empty counts as unset. It sets or replaces a key of a section that exists (connect_args.x: it
 *           replaces only), and what it replaces need not be right.
 * Sections  [databases.NAME], NAME of letters, digits, _ and -, up to 63. Others are other services' and ignored, unless
 *           they look like it ([database.x], [databases], [databases:x]). A key above the first section is ignored, unless
 *           it is a known one.
 * Numbers   0 is zero. -1: pool_recycle, idle_timeout, tcp_keepalive, tcp_user_timeout: never; statement_timeout,
 *           socket_timeout, leak_warning: none, as 0 is; max_overflow: no limit, which is an error, as pool_size = 0 is.
 *           pool_recycle = 0 and idle_timeout = 0 replace and close as soon as it can be (1 ms).
 * Empty     init_sql, tls_ca, tls_cert and tls_key: not set. The options of an adapter: "". Else an error.
 * Limits    16 MiB, 1,000 databases, 500 keys in a section, 120 bytes in a key's name. */

/* One adapter type that may be named by a section or a URL. */
typedef struct dbm__known_type {
    const char *type;     /* "sqlite" */
    const char *schemes;  /* "sqlite,file"; NULL: the type. They are accepted as type names too (mariadb) */
    const char *options;  /* its own keys, "busy_timeout,foreign_keys"; NULL or "" for none */
    const char *macro;    /* "DBM_WITH_POSTGRESQL" when it is not compiled in, else NULL */
    const char *package;  /* with macro: what to install, "libpq-dev"; NULL: no macro helps, this version has no such adapter */
} dbm__known_type;

struct dbm__secrets;

/* One database's settings, complete: every default filled in, every text owned, in one allocation chain.
 * config is as in force, so 0 does not mean "default" in it, and there is no -1:
 *   pool.size                                          1..1000
 *   pool.max_overflow, pool.min_idle, statement_cache  the number; 0 is none
 *   pool.timeout_ms                                    0: a checkout does not wait
 *   pool.recycle_ms, pool.idle_timeout_ms, statement_timeout_ms, socket_timeout_ms, leak_warning_ms,
 *   tcp_keepalive_ms, tcp_user_timeout_ms              0: never, or off
 *   connect_timeout_ms, row_buffer                     never 0
 *   pool.pre_ping, pool.reset_on_return                DEFAULT is the name of `true` and of `rollback`
 *   isolation, tls                                     DEFAULT: not set (tls is also set by sslmode in the URL)
 *   url                                                masked; "" when there is none
 *   init_sql, tls_ca, tls_cert, tls_key                NULL when not set
 *   options                                            names as written: "busy_timeout", "connect_args.gssencmode" */
typedef struct dbm__settings {
    dbm_config config;
    dbm_url url;            /* decoded parts, the password among them: only adapters see it. For sqlite:// path is ":memory:"
                             * too. A text that is no URL (a driver's own DSN; type must be given) is path; scheme is "" then */
    const char *origin;     /* "integration.ini:12", or "dbm_add_database" */
    struct dbm__secrets *secrets; /* what dbm__redact blanks out */
    void *owned;            /* list of blocks; each is wiped before it is freed */
} dbm__settings;

typedef struct dbm__settings_list { dbm__settings **items; size_t count, capacity; } dbm__settings_list;

/* All mistakes of one load, each a line. The text is bounded; `count` is not, and what no longer fits goes to the log, up to
 * the 200th mistake. */
typedef struct dbm__problems {
    dbm__host *host;
    dbm__text text;
    int count, shown;
    int not_compiled;       /* how many of count are about something that is not compiled in */
} dbm__problems;
DBM__FN void dbm__problems_init(dbm__problems *p, dbm__host *host, char *block, size_t capacity);
/* file: the file's name, "dbm_add_database" or "environment NAME"; line: 0 when there is none; section and key may be NULL.
 * The format is that of dbm__putf and never holds a secret. Adds "file:line: [section] key: text\n". */
DBM__FN void dbm__problem(dbm__problems *p, const char *file, int line, const char *section, const char *key,
                          const char *format, ...);

/* Reads an INI text, or the file at `path` when text is NULL (path also names the text in messages). size SIZE_MAX: up to the
 * NUL. *out is emptied first; it may stay empty, when no section is about a database. use_env: whether overrides are looked
 * for; ${NAME} is replaced anyway.
 * Returns E_CONFIG when there was any problem, and then no settings; E_NOT_COMPILED when all of them are about what is not
 * compiled in; E_UNSUPPORTED for a path without files (DBM_NO_STDIO); E_NOMEM. Each but E_NOMEM leaves its text in p. */
DBM__FN dbm_status dbm__config_load(dbm__host *host, const char *path, const char *text, size_t size,
                                    const dbm__known_type *types, size_t type_count, bool use_env, dbm__settings_list *out,
                                    dbm__problems *p);
/* Checks and completes a struct from code. Its texts are taken as they are: no variables, no overrides. Statuses as above. */
DBM__FN dbm_status dbm__config_make(dbm__host *host, const dbm_config *in, const dbm__known_type *types, size_t type_count,
                                    dbm__settings **out, dbm__problems *p);
DBM__FN void dbm__settings_free(dbm__host *host, dbm__settings *settings);
DBM__FN void dbm__settings_list_free(dbm__host *host, dbm__settings_list *list);

/* An option of the adapter, a connect_args.x key or a URL parameter, in this order; NULL when not set. Of a parameter that is
 * repeated, the last. */
DBM__FN const char *dbm__settings_option(const dbm__settings *settings, const char *key);
/* Replaces every secret of these settings by *** in place, whatever form it has: plain, percent-encoded, with quotes doubled or
 * escaped; and what stands where passwords stand: `://user:here@`, `password=here`. Secrets of one or two bytes are blanked
 * only there and as `:here@`. Never lengthens. To be called before a text is cut. NULL settings: only by place. */
DBM__FN void dbm__redact(const dbm__settings *settings, char *text);
/* A password that came from elsewhere (a credential callback) is a secret too, from now on; the newest 16 are remembered. Safe
 * from any thread, as dbm__redact is. */
DBM__FN dbm_status dbm__settings_add_secret(dbm__host *host, dbm__settings *settings, const char *secret);

/* "30s", "10min", "500ms", "1h", "2d", "1.5s"; a bare number is seconds; -1 is itself. False when it is none of these or
 * more than INT_MAX milliseconds. Parts of a millisecond are rounded up. */
DBM__FN bool dbm__parse_duration(const char *text, int *out_ms);
DBM__FN bool dbm__parse_int(const char *text, int64_t min, int64_t max, int64_t *out);
/* true/false, yes/no, on/off, 1/0 */
DBM__FN bool dbm__parse_bool(const char *text, bool *out);
/* "64k", "10m", "1g", also kb, kib and so on, all by 1024; or bytes */
DBM__FN bool dbm__parse_size(const char *text, size_t *out);

/* ---- within this room -------------------------------------------------------------------------------------------------- */

/* Memory that is freed together and wiped first. `failed` sticks, so it is asked once, at the end. */
typedef struct dbm__cfg_block { struct dbm__cfg_block *next; size_t size; } dbm__cfg_block;
typedef struct dbm__cfg_memory { dbm__host *host; dbm__cfg_block *blocks; bool failed; } dbm__cfg_memory;
DBM__FN void *dbm__cfg_alloc(dbm__cfg_memory *m, size_t size); /* zeroed */
DBM__FN char *dbm__cfg_copy(dbm__cfg_memory *m, const char *text, size_t size);
DBM__FN void dbm__cfg_release(dbm__cfg_memory *m);

/* A text that grows in such memory; it is wiped where it moves away from. */
typedef struct dbm__cfg_buffer { dbm__cfg_memory *memory; char *data; size_t size, capacity; } dbm__cfg_buffer;
DBM__FN void dbm__cfg_add(dbm__cfg_buffer *b, const char *text, size_t size);
DBM__FN const char *dbm__cfg_text(dbm__cfg_buffer *b); /* "" rather than NULL */

/* Where a mistake is. */
typedef struct dbm__cfg_at { const char *file; int line; const char *section, *key; } dbm__cfg_at;
DBM__FN void dbm__cfg_bad(dbm__problems *p, const dbm__cfg_at *at, const char *format, ...);

/* Names to suggest from. */
typedef struct dbm__cfg_names { dbm__cfg_memory *memory; const char **items; size_t count, capacity; } dbm__cfg_names;
DBM__FN void dbm__cfg_names_add(dbm__cfg_names *names, const char *list); /* comma-separated */
/* "; did you mean 'x'?" into block, or "". */
DBM__FN const char *dbm__cfg_suggest(const dbm__cfg_names *names, const char *word, char *block, size_t capacity);

/* Replaces variables, decodes. NULL after a problem, which is reported with `part` (NULL: none), or without memory. */
enum { DBM__CFG_VARIABLES = 1, DBM__CFG_DECODE = 2, DBM__CFG_HOSTS = 4 }; /* HOSTS: % of a variable becomes %25 */
DBM__FN const char *dbm__cfg_expand(dbm__cfg_memory *m, const char *text, size_t size, unsigned how, dbm__problems *p,
                                    const dbm__cfg_at *at, const char *part);
/* Past the variable, $$ or character at c. */
DBM__FN const char *dbm__cfg_next(const char *c, const char *end, bool variables);
DBM__FN const char *dbm__cfg_env(const char *name); /* NULL when unset, or without an environment */
DBM__FN bool dbm__cfg_blank(char c);
DBM__FN int dbm__cfg_hex(char c); /* -1: not a digit */

/* What a section gave for one key. */
typedef struct dbm__cfg_given {
    const char *key, *value;  /* value: as written, comment and quotes removed */
    bool variables;           /* ${NAME} is replaced in it */
    dbm__cfg_at at;
} dbm__cfg_given;
DBM__FN const char *dbm__cfg_key(size_t i); /* the i-th known key, or NULL */
DBM__FN bool dbm__cfg_known_key(const char *key, size_t size);
/* Makes settings of what a section gave. *out is NULL after any problem. `partly`: missing keys are no problem. */
DBM__FN void dbm__cfg_build(dbm__host *host, const char *name, const dbm__cfg_at *at, const dbm__cfg_given *given, size_t count,
                            const dbm__known_type *types, size_t type_count, bool partly, dbm__settings **out, dbm__problems *p,
                            bool *no_memory);
DBM__FN bool dbm__cfg_name_ok(const char *name);

/* The type that a word or a scheme names, or NULL. */
DBM__FN const dbm__known_type *dbm__cfg_type(const dbm__known_type *types, size_t count, const char *word, size_t size);
DBM__FN void dbm__cfg_type_names(const dbm__known_type *types, size_t count, dbm__text *out);
/* Whether a key or parameter of this name holds a secret. */
DBM__FN bool dbm__cfg_secret_name(const char *name, size_t size);
DBM__FN bool dbm__cfg_secrets_init(dbm__host *host, dbm__settings *s);
DBM__FN void dbm__cfg_secrets_free(dbm__host *host, dbm__settings *s);
DBM__FN void dbm__cfg_secret(dbm__settings *s, dbm__cfg_memory *m, const char *text, size_t size);
/* Reads a URL into settings->url and its mask into settings->config.url. type: the one that was given, or NULL; then it is
 * found by the scheme. False after a problem or without memory. */
typedef struct dbm__cfg_url_job {
    dbm__settings *settings;
    dbm__cfg_memory *keep, *scratch;
    dbm__problems *problems;
    const dbm__cfg_at *at;
    const dbm__known_type *types;
    size_t type_count;
    const dbm__known_type *type;
    bool type_failed;       /* a type was given and is not known: the scheme is not compared with it */
    bool variables;
} dbm__cfg_url_job;
DBM__FN bool dbm__cfg_url(dbm__cfg_url_job *job, const char *text);

#ifdef __cplusplus
}
#endif
#endif /* DBM__CONFIG_H */
/* --- end src/config/config.h --- */
/* --- begin src/config/values.c --- */
/* Values and the ground of this room: numbers, times and sizes, memory that is wiped, problems, suggestions, variables.
 * May call: config.h's declarations, base/.
 * Must not know: which keys there are, INI, URLs. */

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

DBM__FN bool dbm__cfg_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

DBM__FN bool dbm__parse_int(const char *text, int64_t min, int64_t max, int64_t *out) {
    uint64_t v = 0, limit = (uint64_t)INT64_MAX;
    bool negative;
    if (!text) return false;
    negative = *text == '-';
    if (*text == '-' || *text == '+') text++;
    if (!*text) return false;
    if (negative) limit++;
    for (; *text; text++) {
        unsigned digit = (unsigned)(unsigned char)*text - '0';
        if (digit > 9 || v > (limit - digit) / 10u) return false;
        v = v * 10u + digit;
    }
    /* the lowest number has no positive twin, so it can't be made by a minus sign */
    *out = !negative ? (int64_t)v : v == limit ? INT64_MIN : -(int64_t)v;
    return *out >= min && *out <= max;
}

DBM__FN bool dbm__parse_duration(const char *text, int *out_ms) {
    static const struct { const char *name; int ms; } units[] = {
        { "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 }
    };
    int64_t whole = 0, ms, unit = 1000;
    int64_t part = 0, scale = 100000; /* millionths */
    bool digits = false, more = false;
    size_t i;
    if (!text) return false;
    if (strcmp(text, "-1") == 0) {
        *out_ms = -1;
        return true;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        whole = whole * 10 + (*text - '0');
        if (whole > INT_MAX) return false;
        digits = true;
    }
    if (*text == '.' && digits) {
        digits = false;
        for (text++; *text >= '0' && *text <= '9'; text++) {
            if (!scale && *text != '0') more = true;
            part += scale * (*text - '0');
            scale /= 10;
            digits = true;
        }
    }
    if (!digits) return false;
    while (*text == ' ' || *text == '\t') text++;
    if (*text) {
        for (i = 0; i < sizeof units / sizeof units[0] && !dbm__same_word(text, units[i].name); i++) {}
        if (i == sizeof units / sizeof units[0]) return false;
        unit = units[i].ms;
    }
    ms = whole * unit + (part * unit + (more ? 1 : 0) + 999999) / 1000000;
    if (ms > INT_MAX) return false;
    *out_ms = (int)ms;
    return true;
}

DBM__FN bool dbm__parse_bool(const char *text, bool *out) {
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    size_t i;
    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!dbm__same_word(text, words[i])) continue;
        *out = i % 2 != 0;
        return true;
    }
    return false;
}

DBM__FN bool dbm__parse_size(const char *text, size_t *out) {
    static const char letters[] = "kmg";
    size_t v = 0;
    int shift = 0;
    const char *from = text, *letter;
    if (!text) return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        size_t digit = (size_t)(*text - '0');
        if (v > (SIZE_MAX - digit) / 10u) return false;
        v = v * 10u + digit;
    }
    if (text == from) return false;
    while (*text == ' ' || *text == '\t') text++;
    if (*text) {
        letter = strchr(letters, *text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text);
        if (letter) {
            shift = 10 * ((int)(letter - letters) + 1);
            text++;
            if (*text && !dbm__same_word(text, "b") && !dbm__same_word(text, "ib")) return false;
        } else if (!dbm__same_word(text, "b")) {
            return false;
        }
    }
    if (shift && v > (SIZE_MAX >> shift)) return false;
    *out = v << shift;
    return true;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

DBM__FN void *dbm__cfg_alloc(dbm__cfg_memory *m, size_t size) {
    dbm__cfg_block *block;
    if (m->failed || size > SIZE_MAX - sizeof *block) {
        m->failed = true;
        return NULL;
    }
    block = (dbm__cfg_block *)dbm__alloc_zero(m->host, sizeof *block + size);
    if (!block) {
        m->failed = true;
        return NULL;
    }
    block->next = m->blocks;
    block->size = size;
    m->blocks = block;
    return block + 1;
}

DBM__FN char *dbm__cfg_copy(dbm__cfg_memory *m, const char *text, size_t size) {
    char *copy = (char *)dbm__cfg_alloc(m, size + 1);
    if (copy && size) memcpy(copy, text, size);
    return copy;
}

DBM__FN void dbm__cfg_release(dbm__cfg_memory *m) {
    while (m->blocks) {
        dbm__cfg_block *block = m->blocks;
        m->blocks = block->next;
        dbm__wipe(block + 1, block->size);
        dbm__free(m->host, block);
    }
}

DBM__FN void dbm__cfg_add(dbm__cfg_buffer *b, const char *text, size_t size) {
    size_t capacity;
    char *data;
    if (size >= SIZE_MAX / 4 - b->size) {
        b->memory->failed = true;
        return;
    }
    if (b->size + size >= b->capacity) {
        capacity = b->capacity ? b->capacity : 64;
        while (capacity <= b->size + size) capacity *= 2;
        data = (char *)dbm__cfg_alloc(b->memory, capacity);
        if (!data) return;
        if (b->size) {
            memcpy(data, b->data, b->size);
            dbm__wipe(b->data, b->size);
        }
        b->data = data;
        b->capacity = capacity;
    }
    if (size) memcpy(b->data + b->size, text, size);
    b->size += size;
    b->data[b->size] = 0;
}

DBM__FN const char *dbm__cfg_text(dbm__cfg_buffer *b) { return b->data ? b->data : ""; }

/* ---- problems ---------------------------------------------------------------------------------------------------- */

enum { DBM__CFG_LOGGED = 200 }; /* problems beyond are only counted: a wrong file must not flood the log */

DBM__FN void dbm__problems_init(dbm__problems *p, dbm__host *host, char *block, size_t capacity) {
    p->host = host;
    p->text = dbm__text_in(block, capacity);
    p->count = p->shown = p->not_compiled = 0;
}

static void dbm__cfg_put_problem(dbm__text *t, const char *file, int line, const char *section, const char *key,
                                 const char *format, va_list ap) {
    if (file) {
        dbm__put(t, file);
        if (line > 0) dbm__putf(t, ":%d", line);
        dbm__put(t, ": ");
    }
    if (section) dbm__putf(t, "[%s] ", section);
    if (key) dbm__putf(t, "%s: ", key);
    dbm__putv(t, format, ap);
}

static void dbm__cfg_problem(dbm__problems *p, const char *file, int line, const char *section, const char *key,
                             const char *format, va_list ap) {
    char block[512];
    dbm__text log;
    size_t before = p->text.size;
    va_list again;
    if (p->count < INT_MAX) p->count++;
    if (p->shown == p->count - 1) { /* once one did not fit, the rest goes to the log too: the text stays in order */
        va_copy(again, ap);
        dbm__cfg_put_problem(&p->text, file, line, section, key, format, again);
        va_end(again);
        dbm__put_n(&p->text, "\n", 1);
        if (!p->text.cut) {
            p->shown = p->count;
            return;
        }
        if (!before) { /* the only one: better cut than not at all */
            dbm__text_end(&p->text);
            p->shown = p->count;
        } else {
            p->text.size = before;
            p->text.data[before] = 0;
            p->text.cut = false;
        }
    }
    if (p->count > DBM__CFG_LOGGED || !dbm__event_wanted(p->host, DBM_LOG_ERROR)) return;
    log = dbm__text_in(block, sizeof block);
    dbm__cfg_put_problem(&log, file, line, section, key, format, ap);
    dbm__text_end(&log);
    if (section && strncmp(section, "databases.", 10) == 0) section += 10;
    dbm__event(p->host, DBM_EVENT_CONFIG_ERROR, DBM_LOG_ERROR, section ? section : "", NULL, DBM_E_CONFIG, 0, "%s", block);
}

DBM__FN void dbm__problem(dbm__problems *p, const char *file, int line, const char *section, const char *key,
                          const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    dbm__cfg_problem(p, file, line, section, key, format, ap);
    va_end(ap);
}

DBM__FN void dbm__cfg_bad(dbm__problems *p, const dbm__cfg_at *at, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    dbm__cfg_problem(p, at->file, at->line, at->section, at->key, format, ap);
    va_end(ap);
}

/* ---- suggestions ------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__cfg_names_add(dbm__cfg_names *names, const char *list) {
    while (list && *list) {
        const char *from, *to;
        while (*list == ' ' || *list == ',') list++;
        from = list;
        while (*list && *list != ',') list++;
        to = list;
        while (to > from && to[-1] == ' ') to--;
        if (to == from) continue;
        if (names->count == names->capacity) {
            size_t capacity = names->capacity ? names->capacity * 2 : 64;
            const char **items = (const char **)dbm__cfg_alloc(names->memory, capacity * sizeof *items);
            if (!items) return;
            if (names->count) memcpy(items, names->items, names->count * sizeof *items);
            names->items = items;
            names->capacity = capacity;
        }
        names->items[names->count] = dbm__cfg_copy(names->memory, from, (size_t)(to - from));
        if (!names->items[names->count]) return;
        names->count++;
    }
}

DBM__FN const char *dbm__cfg_suggest(const dbm__cfg_names *names, const char *word, char *block, size_t capacity) {
    const char *nearest = names->count ? dbm__nearest(word, names->items, names->count) : NULL;
    block[0] = 0;
    if (nearest) dbm__format(block, capacity, "; did you mean %q?", nearest);
    return block;
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

DBM__FN const char *dbm__cfg_env(const char *name) {
#if DBM__ENV
    return getenv(name);
#else
    (void)name;
    return NULL;
#endif
}

DBM__FN const char *dbm__cfg_next(const char *c, const char *end, bool variables) {
    if (variables && *c == '$' && end - c >= 2) {
        if (c[1] == '$') return c + 2;
        if (c[1] == '{') {
            const char *close = (const char *)memchr(c, '}', (size_t)(end - c));
            return close ? close + 1 : end;
        }
    }
    return c + 1;
}

DBM__FN int dbm__cfg_hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The variable from c to end, `${` to `}`. False after a problem. */
static bool dbm__cfg_variable(dbm__cfg_buffer *b, const char *c, const char *end, unsigned how, dbm__problems *p,
                              const dbm__cfg_at *at, const char *of, const char *part) {
    char name[128];
    const char *from = c + 2, *stop = end - 1, *value, *fallback = NULL;
    size_t i, size;
    if (end - c < 3 || *stop != '}') {
        dbm__cfg_bad(p, at, "%s%s${ has no closing }; a literal $ before { is written $$", part, of);
        return false;
    }
    for (i = 0; from + i < stop && (from[i] == '_' || (from[i] >= 'A' && from[i] <= 'Z') ||
                                    (from[i] >= 'a' && from[i] <= 'z') || (i && from[i] >= '0' && from[i] <= '9'));
         i++) {}
    if (from + i < stop && from[i] == ':' && from + i + 1 < stop && from[i + 1] == '-') fallback = from + i + 2;
    if (!i || i >= sizeof name || (from + i < stop && !fallback)) {
        dbm__cfg_bad(p, at,
                     "%s%sexpected ${NAME} or ${NAME:-default}, NAME of letters, digits and _; a literal $ before { is written "
                     "$$",
                     part, of);
        return false;
    }
    memcpy(name, from, i);
    name[i] = 0;
    value = dbm__cfg_env(name);
    if (fallback && (!value || !*value)) {
        dbm__cfg_add(b, fallback, (size_t)(stop - fallback));
        return true;
    }
    if (!value) {
#if DBM__ENV
        dbm__cfg_bad(p, at, "%s%sthe environment variable %s is not set; set it, or write ${%s:-default}", part, of, name,
                     name);
#else
        dbm__cfg_bad(p, at, "%s%sthe variable %s cannot be read: this program is built without an environment (DBM_NO_ENV)",
                     part, of, name);
#endif
        return false;
    }
    if (!(how & DBM__CFG_HOSTS)) {
        dbm__cfg_add(b, value, strlen(value));
        return true;
    }
    while (*value) {
        size = strcspn(value, "%");
        dbm__cfg_add(b, value, size);
        value += size;
        if (!*value) break;
        dbm__cfg_add(b, "%25", 3);
        value++;
    }
    return true;
}

DBM__FN const char *dbm__cfg_expand(dbm__cfg_memory *m, const char *text, size_t size, unsigned how, dbm__problems *p,
                                    const dbm__cfg_at *at, const char *part) {
    dbm__cfg_buffer b;
    const char *end = text + size, *next, *of = part ? ": " : "";
    bool variables = (how & DBM__CFG_VARIABLES) != 0;
    char c;
    memset(&b, 0, sizeof b);
    b.memory = m;
    if (!part) part = "";
    for (; text < end; text = next) {
        next = dbm__cfg_next(text, end, variables);
        if (variables && *text == '$' && end - text >= 2 && text[1] == '{') {
            if (!dbm__cfg_variable(&b, text, next, how, p, at, of, part)) return NULL;
        } else if (*text == '%' && (how & DBM__CFG_DECODE)) {
            if (end - text < 3 || dbm__cfg_hex(text[1]) < 0 || dbm__cfg_hex(text[2]) < 0) {
                dbm__cfg_bad(p, at, "%s%sa %% must be followed by two hexadecimal digits; a literal %% is written %%25", part,
                             of);
                return NULL;
            }
            c = (char)(unsigned char)(dbm__cfg_hex(text[1]) * 16 + dbm__cfg_hex(text[2]));
            if (!c) {
                dbm__cfg_bad(p, at, "%s%s%%00 is not allowed", part, of);
                return NULL;
            }
            dbm__cfg_add(&b, &c, 1);
            next = text + 3;
        } else {
            dbm__cfg_add(&b, text, 1);
        }
    }
    return m->failed ? NULL : dbm__cfg_text(&b);
}
/* --- end src/config/values.c --- */
/* --- begin src/config/url.c --- */
/* URLs and secrets: a URL becomes decoded parts and a mask; secrets are known by what they are and by where they stand.
 * May call: config.h's declarations, base/.
 * Must not know: INI, keys, drivers. No message here holds any part of a URL but its scheme. */

/* ---- secrets ----------------------------------------------------------------------------------------------------------
 * Those of the configuration never change, so they are read without a lock. Those that a credential callback brought come and
 * go: a token that changes every hour must not grow the list for ever, so the oldest gives way, under the lock. */
enum { DBM__SECRETS_LATE = 16, DBM__SECRET_SHORT = 3 };

typedef struct dbm__secret { struct dbm__secret *next; const char *text; size_t size; } dbm__secret;
struct dbm__secrets {
    dbm__secret *first;
    dbm__lock lock;
    struct { char *text; size_t size; } late[DBM__SECRETS_LATE];
    size_t turn;
};

DBM__FN bool dbm__cfg_secrets_init(dbm__host *host, dbm__settings *s) {
    s->secrets = (struct dbm__secrets *)dbm__alloc_zero(host, sizeof *s->secrets);
    if (!s->secrets) return false;
    if (dbm__lock_init(&s->secrets->lock)) return true;
    dbm__free(host, s->secrets);
    s->secrets = NULL;
    return false;
}

DBM__FN void dbm__cfg_secrets_free(dbm__host *host, dbm__settings *s) {
    size_t i;
    if (!s->secrets) return;
    for (i = 0; i < DBM__SECRETS_LATE; i++) {
        if (!s->secrets->late[i].text) continue;
        dbm__wipe(s->secrets->late[i].text, s->secrets->late[i].size);
        dbm__free(host, s->secrets->late[i].text);
    }
    dbm__lock_free(&s->secrets->lock);
    dbm__free(host, s->secrets);
    s->secrets = NULL;
}

DBM__FN void dbm__cfg_secret(dbm__settings *s, dbm__cfg_memory *m, const char *text, size_t size) {
    dbm__secret *secret;
    if (!size) return;
    secret = (dbm__secret *)dbm__cfg_alloc(m, sizeof *secret);
    if (!secret) return;
    secret->text = dbm__cfg_copy(m, text, size);
    if (!secret->text) return;
    secret->size = size;
    secret->next = s->secrets->first;
    s->secrets->first = secret;
}

DBM__FN dbm_status dbm__settings_add_secret(dbm__host *host, dbm__settings *settings, const char *secret) {
    struct dbm__secrets *all = settings->secrets;
    const dbm__secret *known;
    char *copy, *old = NULL;
    size_t i, size = secret ? strlen(secret) : 0, old_size = 0;
    if (!size) return DBM_OK;
    for (known = all->first; known; known = known->next) {
        if (known->size == size && memcmp(known->text, secret, size) == 0) return DBM_OK;
    }
    copy = dbm__copy_text(host, secret, size);
    if (!copy) return dbm__no_memory(DBM_STAGE_CONFIG, settings->config.name, NULL);
    dbm__lock_take(&all->lock);
    for (i = 0; i < DBM__SECRETS_LATE; i++) {
        if (all->late[i].text && all->late[i].size == size && memcmp(all->late[i].text, secret, size) == 0) break;
    }
    if (i < DBM__SECRETS_LATE) {
        old = copy;
        old_size = size;
    } else {
        i = all->turn++ % DBM__SECRETS_LATE;
        old = all->late[i].text;
        old_size = all->late[i].size;
        all->late[i].text = copy;
        all->late[i].size = size;
    }
    dbm__lock_give(&all->lock);
    if (old) dbm__wipe(old, old_size);
    dbm__free(host, old);
    return DBM_OK;
}

/* Whether the word ends in `tail`, as a word of its own when that is short: "sslpassword", "api-token", but not "bypass". */
static bool dbm__secret_tail(const char *name, size_t size, const char *tail) {
    size_t n = strlen(tail);
    char before;
    if (size < n || !dbm__same_word_n(name + size - n, n, tail)) return false;
    if (size == n || n > 4) return true;
    before = name[size - n - 1];
    return before == '_' || before == '-' || before == '.' ||
           (before >= 'a' && before <= 'z' && name[size - n] >= 'A' && name[size - n] <= 'Z');
}

DBM__FN bool dbm__cfg_secret_name(const char *name, size_t size) {
    static const char *const tails[] = {
        "password", "passwd", "pwd", "pass", "passphrase", "passcode", "secret", "token", "apikey", "api_key", "api-key",
        "accesskey", "access_key", "secretkey", "secret_key", "credential", "credentials", "authmechanismproperties"
    };
    size_t i;
    for (i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        if (dbm__secret_tail(name, size, tails[i])) return true;
    }
    return false;
}

/* ---- blanking ---------------------------------------------------------------------------------------------------- */

/* How many bytes at `at` are the secret: as it is, or with any of its bytes percent-encoded, doubled or behind a backslash. */
static size_t dbm__secret_at(const char *at, const char *secret, size_t size) {
    const char *c = at;
    size_t i;
    if (strncmp(at, secret, size) == 0) return size;
    for (i = 0; i < size && *c; i++) {
        char want = secret[i];
        int high = *c == '%' ? dbm__cfg_hex(c[1]) : -1, low = high >= 0 ? dbm__cfg_hex(c[2]) : -1;
        if (low >= 0 && (char)(unsigned char)(high * 16 + low) == want) c += 3;
        else if (*c == '\\' && want != '\\' && c[1] == want) c += 2;
        else if (*c == want) c += (want == '\'' || want == '"' || want == '\\') && c[1] == want ? 2 : 1;
        else if (*c == '+' && want == ' ') c++;
        else return 0;
    }
    return i == size ? (size_t)(c - at) : 0;
}

static size_t dbm__secret_longest(size_t best, const char *at, char before, const char *secret, size_t size) {
    size_t n = dbm__secret_at(at, secret, size);
    if (size < DBM__SECRET_SHORT && n && (before != ':' || at[n] != '@')) n = 0;
    return n > best ? n : best;
}

/* Writes up to three stars; returns where to go on. */
static char *dbm__secret_stars(char *to, size_t size) {
    size_t i, n = size < 3 ? size : 3;
    for (i = 0; i < n; i++) *to++ = '*';
    return to;
}

static void dbm__redact_known(struct dbm__secrets *all, char *text) {
    const char *from = text;
    char *to = text, before = 0;
    const dbm__secret *s;
    size_t i, n;
    while (*from) {
        n = 0;
        for (s = all->first; s; s = s->next) n = dbm__secret_longest(n, from, before, s->text, s->size);
        for (i = 0; i < DBM__SECRETS_LATE; i++) {
            if (all->late[i].text) n = dbm__secret_longest(n, from, before, all->late[i].text, all->late[i].size);
        }
        if (n) {
            before = from[n - 1];
            from += n;
            to = dbm__secret_stars(to, n);
        } else {
            before = *from;
            *to++ = *from++;
        }
    }
    *to = 0;
}

/* Takes size bytes out and puts stars there. Returns what follows them. */
static char *dbm__redact_cut(char *at, size_t size) {
    char *after = dbm__secret_stars(at, size);
    if (after != at + size) memmove(after, at + size, strlen(at + size) + 1);
    return after;
}

static bool dbm__url_ends(char c) { return !c || dbm__cfg_blank(c) || c == '"' || c == '\'' || c == '<' || c == '>'; }

/* scheme://user:HERE@ */
static void dbm__redact_urls(char *text) {
    char *at = text, *c, *colon, *last;
    while ((at = strstr(at, "://")) != NULL) {
        at += 3;
        colon = last = NULL;
        for (c = at; !dbm__url_ends(*c) && *c != '/' && *c != '?'; c++) {
            if (*c == ':' && !colon) colon = c;
            if (*c == '@') last = c;
        }
        if (colon && last && colon + 1 < last) at = dbm__redact_cut(colon + 1, (size_t)(last - colon - 1));
    }
}

static bool dbm__url_word(char c) {
    return c == '_' || c == '-' || c == '.' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The value of the next `password=value`, value quoted or up to a blank, & ; , or ). Variables are one piece when asked. */
static const char *dbm__secret_next(const char *text, bool variables, size_t *size) {
    const char *c, *end, *word, *value;
    for (c = strchr(text, '='); c; c = strchr(c + 1, '=')) {
        for (end = c; end > text && (end[-1] == ' ' || end[-1] == '"' || end[-1] == '\''); end--) {}
        for (word = end; word > text && dbm__url_word(word[-1]); word--) {}
        if (word == end || !dbm__cfg_secret_name(word, (size_t)(end - word))) continue;
        for (value = c + 1; *value == ' '; value++) {}
        if (*value == '\'' || *value == '"') {
            char quote = *value++;
            for (end = value; *end && *end != quote; end++) {
                if (*end == '\\' && end[1]) end++;
            }
        } else {
            const char *stop = value + strlen(value);
            for (end = value; *end && !dbm__cfg_blank(*end) && !strchr("&;,)\"'", *end);
                 end = dbm__cfg_next(end, stop, variables)) {}
        }
        if (end == value) continue;
        *size = (size_t)(end - value);
        return value;
    }
    return NULL;
}

DBM__FN void dbm__redact(const dbm__settings *settings, char *text) {
    const char *value;
    char *at = text;
    size_t size;
    if (!text) return;
    if (settings && settings->secrets) {
        dbm__lock_take(&settings->secrets->lock);
        dbm__redact_known(settings->secrets, text);
        dbm__lock_give(&settings->secrets->lock);
    }
    while ((value = dbm__secret_next(at, false, &size)) != NULL) at = dbm__redact_cut(at + (value - at), size);
    dbm__redact_urls(text);
}

/* ---- types and schemes ------------------------------------------------------------------------------------------- */

static bool dbm__type_has(const dbm__known_type *type, const char *word, size_t size) {
    const char *c = type->schemes;
    if (dbm__same_word_n(word, size, type->type)) return true;
    if (!c) return false;
    while (*c) {
        size_t n = strcspn(c, ", ");
        if (n == size) {
            size_t i;
            for (i = 0; i < n; i++) {
                char a = word[i], b = c[i];
                if (a >= 'A' && a <= 'Z') a = (char)(a - 'A' + 'a');
                if (a != b) break;
            }
            if (i == n) return true;
        }
        c += n;
        while (*c == ',' || *c == ' ') c++;
    }
    return false;
}

DBM__FN const dbm__known_type *dbm__cfg_type(const dbm__known_type *types, size_t count, const char *word, size_t size) {
    size_t i;
    for (i = 0; size && i < count; i++) {
        if (dbm__same_word_n(word, size, types[i].type)) return types + i;
    }
    for (i = 0; size && i < count; i++) {
        if (dbm__type_has(types + i, word, size)) return types + i;
    }
    return NULL;
}

DBM__FN void dbm__cfg_type_names(const dbm__known_type *types, size_t count, dbm__text *out) {
    size_t i;
    for (i = 0; i < count; i++) dbm__putf(out, i ? ", %s" : "%s", types[i].type);
    dbm__text_end(out);
}

/* ---- URLs -------------------------------------------------------------------------------------------------------- */

/* One part of the text as written, NULL: not there. */
typedef struct dbm__url_part { const char *text; size_t size; } dbm__url_part;

static dbm__url_part dbm__url_slice(const char *from, const char *to) {
    dbm__url_part part;
    part.text = from;
    part.size = (size_t)(to - from);
    return part;
}

/* The first, or last, character of the text outside variables that is one of `set`; end when there is none. */
static const char *dbm__url_find(const char *c, const char *end, const char *set, bool last, bool variables) {
    const char *found = end;
    while (c < end) {
        const char *next = dbm__cfg_next(c, end, variables);
        if (next == c + 1 && *c && strchr(set, *c)) {
            found = c;
            if (!last) break;
        }
        c = next;
    }
    return found;
}

static const char *dbm__url_separator(const char *c, const char *end, bool variables) {
    for (; c < end; c = dbm__cfg_next(c, end, variables)) {
        if (end - c >= 3 && c[0] == ':' && c[1] == '/' && c[2] == '/') return c;
    }
    return NULL;
}

static const char *dbm__url_expand(const dbm__cfg_url_job *job, dbm__url_part part, unsigned how, const char *name) {
    const char *c, *end = part.text + part.size;
    bool blanks = strcmp(name, "password") == 0; /* a password may be written as it is, where that can't be misread */
    for (c = part.text; c < end; c = dbm__cfg_next(c, end, job->variables)) {
        if (*c == ' ' && !blanks) {
            dbm__cfg_bad(job->problems, job->at, "the URL has a blank in its %s; a blank is written %%20", name);
            return NULL;
        }
    }
    if (job->variables) how |= DBM__CFG_VARIABLES;
    return dbm__cfg_expand(job->keep, part.text, part.size, how, job->problems, job->at, name);
}

static bool dbm__url_bad_host(const dbm__cfg_url_job *job, const char *why) {
    dbm__cfg_bad(job->problems, job->at,
                 "the URL's host list is wrong: %s. Expected host, host:port or [IPv6]:port, several with commas between; "
                 "@ : / ? # %% in a password are written %%40 %%3A %%2F %%3F %%23 %%25, or the password comes from ${NAME}",
                 why);
    return false;
}

/* One host of the list, from c to end. */
static bool dbm__url_host(const dbm__cfg_url_job *job, const char *c, const char *end) {
    const char *at, *port = NULL;
    int number = 0;
    if (c == end) return dbm__url_bad_host(job, "one is empty");
    if (*c == '[') {
        at = (const char *)memchr(c, ']', (size_t)(end - c));
        if (!at || at == c + 1) return dbm__url_bad_host(job, "a [ has no ] or nothing in it");
        for (c++; c < at; c++) {
            if (*c == '[') return dbm__url_bad_host(job, "a [ is inside of a [ ]");
        }
        c++;
        if (c < end && *c != ':') return dbm__url_bad_host(job, "something other than a port follows a ]");
        if (c < end) port = c + 1;
    } else {
        for (at = c; at < end && *at != ':'; at++) {
            if (strchr("[]\"<>\\^`{|}", *at)) return dbm__url_bad_host(job, "it has a character that no host has");
            if (*at == '%' && (end - at < 3 || dbm__cfg_hex(at[1]) < 0 || dbm__cfg_hex(at[2]) < 0)) {
                return dbm__url_bad_host(job, "a % is not followed by two hexadecimal digits");
            }
            if (*at == '%' && at[1] == '0' && at[2] == '0') return dbm__url_bad_host(job, "%00 is not allowed");
        }
        if (at < end) port = at + 1;
        if (port && memchr(port, ':', (size_t)(end - port))) {
            return dbm__url_bad_host(job, "there are several colons; an IPv6 address is written in [ ]");
        }
    }
    if (!port) return true;
    if (port == end || end - port > 5) return dbm__url_bad_host(job, "a port is not a number from 1 to 65535");
    for (; port < end; port++) {
        if (*port < '0' || *port > '9') return dbm__url_bad_host(job, "a port is not a number from 1 to 65535");
        number = number * 10 + (*port - '0');
    }
    if (number < 1 || number > 65535) return dbm__url_bad_host(job, "a port is not a number from 1 to 65535");
    return true;
}

static bool dbm__url_hosts(const dbm__cfg_url_job *job, const char *hosts) {
    const char *c = hosts, *end;
    if (!*hosts) return true;
    for (; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7F) return dbm__url_bad_host(job, "it has a blank or control character");
    }
    for (c = hosts;; c = end + 1) {
        for (end = c; *end && *end != ','; end++) {}
        if (!dbm__url_host(job, c, end)) return false;
        if (!*end) return true;
    }
}

/* Splits and decodes the query. Parameters whose names say so are secrets. */
static bool dbm__url_query(const dbm__cfg_url_job *job, const char *c, const char *end) {
    dbm_option *list = NULL;
    size_t count = 0, capacity = 0;
    while (c < end) {
        const char *stop = dbm__url_find(c, end, "&", false, job->variables),
                   *equal = dbm__url_find(c, stop, "=", false, job->variables);
        dbm_option one;
        char name[48];
        if (stop == c) {
            c++;
            continue;
        }
        dbm__format(name, sizeof name, "parameter %z", count + 1);
        one.name = dbm__url_expand(job, dbm__url_slice(c, equal), DBM__CFG_DECODE, name);
        if (!one.name) return false;
        if (!*one.name) {
            dbm__cfg_bad(job->problems, job->at, "the URL's %s has no name", name);
            return false;
        }
        one.value = equal < stop ? dbm__url_expand(job, dbm__url_slice(equal + 1, stop), DBM__CFG_DECODE, name) : "";
        if (!one.value) return false;
        if (dbm__cfg_secret_name(one.name, strlen(one.name))) {
            dbm__cfg_secret(job->settings, job->keep, one.value, strlen(one.value));
        }
        if (count == capacity) {
            dbm_option *more;
            capacity = capacity ? capacity * 2 : 8;
            more = (dbm_option *)dbm__cfg_alloc(job->keep, capacity * sizeof *more);
            if (!more) return false;
            if (count) memcpy(more, list, count * sizeof *more);
            list = more;
        }
        list[count++] = one;
        c = stop < end ? stop + 1 : end;
    }
    job->settings->url.parameters = list;
    job->settings->url.parameter_count = count;
    return true;
}

/* ---- the mask ---------------------------------------------------------------------------------------------------- */

static void dbm__url_put(dbm__cfg_buffer *b, const char *text, const char *plain) {
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        char code[3];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr(plain, *text)) {
            dbm__cfg_add(b, text, 1);
            continue;
        }
        code[0] = '%';
        code[1] = digits[c >> 4];
        code[2] = digits[c & 15];
        dbm__cfg_add(b, code, 3);
    }
}

static void dbm__url_say(dbm__cfg_buffer *b, const char *text) { dbm__cfg_add(b, text, strlen(text)); }

static void dbm__url_mask(const dbm__cfg_url_job *job, const char *authority) {
    const dbm_url *url = &job->settings->url;
    dbm__cfg_buffer b;
    size_t i;
    memset(&b, 0, sizeof b);
    b.memory = job->keep;
    dbm__url_say(&b, url->scheme);
    if (*url->driver) {
        dbm__url_say(&b, "+");
        dbm__url_say(&b, url->driver);
    }
    dbm__url_say(&b, authority);
    dbm__url_put(&b, url->user, "-._~!$'()*+,;");
    if (*url->password) dbm__url_say(&b, ":***");
    if (*url->user || *url->password) dbm__url_say(&b, "@");
    dbm__url_say(&b, url->hosts);
    if (*url->path) {
        if (authority[1]) dbm__url_say(&b, "/"); /* not after "scheme:" alone */
        dbm__url_put(&b, url->path, "-._~!$'()*+,;:/@&=");
    }
    for (i = 0; i < url->parameter_count; i++) {
        const dbm_option *one = url->parameters + i;
        dbm__url_say(&b, i ? "&" : "?");
        dbm__url_put(&b, one->name, "-._~!$'()*,;:/@");
        if (!*one->value) continue;
        dbm__url_say(&b, "=");
        if (dbm__cfg_secret_name(one->name, strlen(one->name))) dbm__url_say(&b, "***");
        else dbm__url_put(&b, one->value, "-._~!$'()*,;:/@");
    }
    job->settings->config.url = dbm__cfg_text(&b);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A text that is no URL: a driver's own DSN. All of it is `path`; its passwords are found by where they stand. */
static bool dbm__url_dsn(const dbm__cfg_url_job *job, const char *written, const char *text, bool expanded) {
    const char *at = written, *value, *colon, *last;
    char *mask;
    size_t size;
    while (expanded && (value = dbm__secret_next(at, true, &size)) != NULL) {
        const char *secret = dbm__cfg_expand(job->scratch, value, size, DBM__CFG_VARIABLES, job->problems, job->at, NULL);
        if (!secret) return false;
        dbm__cfg_secret(job->settings, job->keep, secret, strlen(secret));
        at = value + size;
    }
    for (at = text; (value = dbm__secret_next(at, false, &size)) != NULL; at = value + size) {
        dbm__cfg_secret(job->settings, job->keep, value, size);
    }
    colon = strchr(text, ':');
    last = strrchr(text, '@');
    if (colon && last && colon < last) dbm__cfg_secret(job->settings, job->keep, colon + 1, (size_t)(last - colon - 1));
    job->settings->url.path = dbm__cfg_copy(job->keep, text, strlen(text));
    mask = dbm__cfg_copy(job->keep, text, strlen(text));
    if (!job->settings->url.path || !mask) return false;
    dbm__redact(job->settings, mask);
    job->settings->config.url = mask;
    return true;
}

/* Splits the scheme from its driver and finds the type. */
static bool dbm__url_scheme(dbm__cfg_url_job *job, const char *text, const char *end) {
    dbm_url *url = &job->settings->url;
    const char *expanded = dbm__url_expand(job, dbm__url_slice(text, end), 0, "scheme"), *plus;
    const dbm__known_type *found = NULL;
    dbm__cfg_names names;
    char *scheme, *c, hint[96], known[256];
    dbm__text list;
    size_t size, i;
    bool ok;
    if (!expanded) return false;
    size = strlen(expanded);
    scheme = dbm__cfg_copy(job->keep, expanded, size);
    if (!scheme) return false;
    ok = size > 0 && size <= 64;
    for (c = scheme; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
        ok = ok && ((*c >= 'a' && *c <= 'z') || (c > scheme && ((*c >= '0' && *c <= '9') || strchr("+-._", *c))));
    }
    if (!ok) {
        dbm__cfg_bad(job->problems, job->at,
                     "a URL begins with its scheme, as in postgresql://user:password@host/name or sqlite:///file.db");
        return false;
    }
    /* "mongodb+srv" may be a scheme by itself */
    plus = strchr(scheme, '+');
    for (i = 0; !found && i < 2; i++) {
        if (i && !plus) break;
        if (i) size = (size_t)(plus - scheme);
        if (job->type && dbm__type_has(job->type, scheme, size)) found = job->type;
        else found = dbm__cfg_type(job->types, job->type_count, scheme, size);
    }
    if (scheme[size] == '+') scheme[size++] = 0;
    else size = strlen(scheme);
    url->scheme = scheme;
    url->driver = scheme + size;
    if (!found) {
        memset(&names, 0, sizeof names);
        names.memory = job->scratch;
        for (i = 0; i < job->type_count; i++) {
            dbm__cfg_names_add(&names, job->types[i].type);
            dbm__cfg_names_add(&names, job->types[i].schemes);
        }
        list = dbm__text_in(known, sizeof known);
        dbm__cfg_type_names(job->types, job->type_count, &list);
        if (job->variables && memchr(text, '$', (size_t)(end - text))) { /* what the variable holds may be anything */
            dbm__cfg_bad(job->problems, job->at, "the URL's scheme, made of a variable, is unknown (known types: %s)", known);
        } else {
            dbm__cfg_bad(job->problems, job->at, "the URL's scheme %q is unknown%s (known types: %s)", scheme,
                         dbm__cfg_suggest(&names, scheme, hint, sizeof hint), known);
        }
        return false;
    }
    if (job->type_failed) return true;
    if (job->type && job->type != found) {
        dbm__cfg_bad(job->problems, job->at,
                     "the URL's scheme %q is one of type %s, but type says %s; leave type out, or write %s://", scheme,
                     found->type, job->type->type, job->type->type);
        return false;
    }
    job->type = found;
    return true;
}

/* sqlite: user, password and host make no sense, and what follows :/// is a file's path, relative or absolute. */
static bool dbm__url_sqlite(const dbm__cfg_url_job *job, const char *c, const char *end, bool authority) {
    const char *query = dbm__url_find(c, end, "?", false, job->variables);
    if (authority) {
        if (c < query && *c != '/') {
            dbm__cfg_bad(job->problems, job->at,
                         "an SQLite URL has no host: sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:///:memory:");
            return false;
        }
        if (c < query) c++;
    }
    job->settings->url.path = dbm__url_expand(job, dbm__url_slice(c, query), DBM__CFG_DECODE, "path");
    if (!job->settings->url.path) return false;
    if (!*job->settings->url.path) job->settings->url.path = ":memory:";
    return dbm__url_query(job, query < end ? query + 1 : end, end);
}

static bool dbm__url_network(const dbm__cfg_url_job *job, const char *c, const char *end) {
    dbm_url *url = &job->settings->url;
    const char *stop = dbm__url_find(c, end, "/?", false, job->variables), *at, *colon, *query;
    dbm__url_part password;
    at = dbm__url_find(c, stop, "@", true, job->variables);
    if (at < stop) {
        colon = dbm__url_find(c, at, ":", false, job->variables);
        if (colon < at) {
            password = dbm__url_slice(colon + 1, at);
            if (dbm__url_find(colon + 1, at, "$", false, false) == at) { /* as written too, for where the whole URL is quoted */
                dbm__cfg_secret(job->settings, job->keep, password.text, password.size);
            }
            url->password = dbm__url_expand(job, password, DBM__CFG_DECODE, "password");
            if (!url->password) return false;
            dbm__cfg_secret(job->settings, job->keep, url->password, strlen(url->password));
        }
        url->user = dbm__url_expand(job, dbm__url_slice(c, colon), DBM__CFG_DECODE, "user");
        if (!url->user) return false;
        c = at + 1;
    }
    query = dbm__url_find(stop, end, "?", false, job->variables);
    if (dbm__url_find(stop, end, "@", false, job->variables) < end) {
        dbm__cfg_bad(job->problems, job->at,
                     "the URL has an @ after its host; there it is written %%40, and @ : / ? # %% in a password "
                     "%%40 %%3A %%2F %%3F %%23 %%25, or the password comes from ${NAME}");
        return false;
    }
    url->hosts = dbm__url_expand(job, dbm__url_slice(c, stop), DBM__CFG_HOSTS, "host list");
    if (!url->hosts || !dbm__url_hosts(job, url->hosts)) return false;
    if (stop < query) { /* what follows the slash */
        url->path = dbm__url_expand(job, dbm__url_slice(stop + 1, query), DBM__CFG_DECODE, "path");
        if (!url->path) return false;
    }
    return dbm__url_query(job, query < end ? query + 1 : end, end);
}

DBM__FN bool dbm__cfg_url(dbm__cfg_url_job *job, const char *text) {
    const char *written = text, *c, *end = text + strlen(text), *separator = dbm__url_separator(text, end, job->variables);
    const char *authority = "://";
    bool expanded = false;
    if (!separator && job->variables) { /* the variable may hold all of it */
        text = dbm__cfg_expand(job->scratch, text, (size_t)(end - text), DBM__CFG_VARIABLES, job->problems, job->at, NULL);
        if (!text) return false;
        job->variables = false;
        expanded = true;
        end = text + strlen(text);
        separator = dbm__url_separator(text, end, false);
    }
    if (text == end) {
        dbm__cfg_bad(job->problems, job->at, "the URL is empty");
        return false;
    }
    for (c = text; c < end; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7F) {
            dbm__cfg_bad(job->problems, job->at, "the URL has a control character (a tab, perhaps)");
            return false;
        }
    }
    if (!separator) {
        c = dbm__url_find(text, end, ":", false, job->variables);
        if (c < end && !job->type_failed) { /* file:app.db?mode=ro */
            const dbm__known_type *type = job->type && dbm__type_has(job->type, text, (size_t)(c - text)) ? job->type
                                          : dbm__cfg_type(job->types, job->type_count, text, (size_t)(c - text));
            if (type && strcmp(type->type, "sqlite") == 0 && !dbm__same_word_n(text, (size_t)(c - text), "sqlite")) {
                separator = c;
                authority = ":";
            }
        }
        if (!separator && job->type && strcmp(job->type->type, "sqlite") != 0) {
            return dbm__url_dsn(job, written, text, expanded);
        }
        if (!separator) {
            dbm__cfg_bad(job->problems, job->at,
                         job->type ? "expected sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:///:memory:"
                                   : "expected a URL such as sqlite:///file.db or postgresql://user:password@host/name");
            return false;
        }
    }
    if (!dbm__url_scheme(job, text, separator)) return false;
    c = separator + strlen(authority);
    if (job->type && strcmp(job->type->type, "sqlite") == 0) {
        if (!dbm__url_sqlite(job, c, end, authority[1] != 0)) return false;
    } else if (!dbm__url_network(job, c, end)) {
        return false;
    }
    dbm__url_mask(job, authority);
    return !job->keep->failed;
}
/* --- end src/config/url.c --- */
/* --- begin src/config/settings.c --- */
/* The known keys: what each may hold, what it is when it is not set, how they fit together. Makes a dbm__settings of what a
 * section or a struct gave.
 * May call: config.h's declarations, base/.
 * Must not know: files, INI, what an adapter does with its own keys. */

/* ---- the table -----------------------------------------------------------------------------------------------------------
 * `zero` and `minus` are what 0 and -1 in a file become in the struct, where 0 is the default and -1 none; NO: an error. */
typedef enum dbm__setting_id {
    DBM__SET_TYPE, DBM__SET_URL, DBM__SET_POOL_SIZE, DBM__SET_MAX_OVERFLOW, DBM__SET_MAX_CONNECTIONS, DBM__SET_POOL_TIMEOUT,
    DBM__SET_POOL_RECYCLE, DBM__SET_PRE_PING, DBM__SET_RESET, DBM__SET_MIN_IDLE, DBM__SET_IDLE_TIMEOUT, DBM__SET_ISOLATION,
    DBM__SET_CONNECT_TIMEOUT, DBM__SET_STATEMENT_TIMEOUT, DBM__SET_SOCKET_TIMEOUT, DBM__SET_TCP_KEEPALIVE,
    DBM__SET_TCP_USER_TIMEOUT, DBM__SET_STATEMENT_CACHE, DBM__SET_LEAK_WARNING, DBM__SET_ECHO, DBM__SET_TLS, DBM__SET_TLS_CA,
    DBM__SET_TLS_CERT, DBM__SET_TLS_KEY, DBM__SET_INIT_SQL, DBM__SET_ROW_BUFFER, DBM__SET_COUNT
} dbm__setting_id;
typedef enum dbm__setting_kind { DBM__SET_TEXT, DBM__SET_INT, DBM__SET_TIME, DBM__SET_WORD, DBM__SET_SIZE } dbm__setting_kind;

enum { DBM__SET_LIMIT = 1000, DBM__SET_NO = INT_MIN };

typedef struct dbm__setting {
    const char *key, *field;  /* in a file, in the struct */
    dbm__setting_kind kind;
    size_t offset;            /* of its int or text in dbm_config; 0: none */
    int min, max, standard;   /* in force */
    int zero, minus;
    bool none;                /* -1 in the struct is allowed and is 0 in force */
} dbm__setting;

#define DBM__SET_N(field) #field, DBM__SET_INT, offsetof(dbm_config, field)
#define DBM__SET_MS(field) #field, DBM__SET_TIME, offsetof(dbm_config, field)
#define DBM__SET_S(field) #field, DBM__SET_TEXT, offsetof(dbm_config, field), 0, 0, 0, 0, 0, false
#define DBM__SET_X(field, kind) #field, kind, 0, 0, 0, 0, 0, 0, false
static const dbm__setting dbm__setting_table[DBM__SET_COUNT] = {
    { "type", DBM__SET_S(type) },
    { "url", DBM__SET_S(url) },
    { "pool_size",         DBM__SET_N(pool.size),            1, DBM__SET_LIMIT, 5,       DBM__SET_NO, DBM__SET_NO, false },
    { "max_overflow",      DBM__SET_N(pool.max_overflow),    0, DBM__SET_LIMIT, 10,      -1,          DBM__SET_NO, true },
    { "max_connections", "max_connections", DBM__SET_INT, 0, 1, DBM__SET_LIMIT, 0,       DBM__SET_NO, DBM__SET_NO, false },
    { "pool_timeout",      DBM__SET_MS(pool.timeout_ms),     0, INT_MAX,        30000,   -1,          DBM__SET_NO, true },
    { "pool_recycle",      DBM__SET_MS(pool.recycle_ms),     1, INT_MAX,        1800000, 1,           -1,          true },
    { "pool_pre_ping", DBM__SET_X(pool.pre_ping, DBM__SET_WORD) },
    { "pool_reset_on_return", DBM__SET_X(pool.reset_on_return, DBM__SET_WORD) },
    { "min_idle",          DBM__SET_N(pool.min_idle),        0, DBM__SET_LIMIT, 0,       0,           DBM__SET_NO, false },
    { "idle_timeout",      DBM__SET_MS(pool.idle_timeout_ms), 1, INT_MAX,       600000,  1,           -1,          true },
    { "isolation_level", DBM__SET_X(isolation, DBM__SET_WORD) },
    { "connect_timeout",   DBM__SET_MS(connect_timeout_ms),  1, INT_MAX,        5000,    DBM__SET_NO, DBM__SET_NO, false },
    { "statement_timeout", DBM__SET_MS(statement_timeout_ms), 1, INT_MAX,       0,       -1,          -1,          true },
    { "socket_timeout",    DBM__SET_MS(socket_timeout_ms),   1, INT_MAX,        0,       -1,          -1,          true },
    { "tcp_keepalive",     DBM__SET_MS(tcp_keepalive_ms),    1, INT_MAX,        60000,   -1,          -1,          true },
    { "tcp_user_timeout",  DBM__SET_MS(tcp_user_timeout_ms), 1, INT_MAX,        30000,   -1,          -1,          true },
    { "statement_cache",   DBM__SET_N(statement_cache),      0, 4096,           64,      -1,          DBM__SET_NO, true },
    { "leak_warning",      DBM__SET_MS(leak_warning_ms),     1, INT_MAX,        0,       -1,          -1,          true },
    { "echo", DBM__SET_X(echo, DBM__SET_WORD) },
    { "tls", DBM__SET_X(tls, DBM__SET_WORD) },
    { "tls_ca", DBM__SET_S(tls_ca) },
    { "tls_cert", DBM__SET_S(tls_cert) },
    { "tls_key", DBM__SET_S(tls_key) },
    { "init_sql", DBM__SET_S(init_sql) },
    { "row_buffer", DBM__SET_X(row_buffer, DBM__SET_SIZE) }
};
#undef DBM__SET_N
#undef DBM__SET_MS
#undef DBM__SET_S
#undef DBM__SET_X

/* The words of a key; those after the listed ones are understood, but not proposed. */
typedef struct dbm__setting_word { const char *word; int value; } dbm__setting_word;
static const dbm__setting_word dbm__setting_words_pre_ping[] = {
    { "true", DBM_PRE_PING_DEFAULT }, { "always", DBM_PRE_PING_ALWAYS }, { "false", DBM_PRE_PING_OFF },
    { "yes", DBM_PRE_PING_DEFAULT }, { "on", DBM_PRE_PING_DEFAULT }, { "1", DBM_PRE_PING_DEFAULT },
    { "no", DBM_PRE_PING_OFF }, { "off", DBM_PRE_PING_OFF }, { "0", DBM_PRE_PING_OFF }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_reset[] = {
    { "rollback", DBM_RESET_DEFAULT }, { "commit", DBM_RESET_COMMIT }, { "none", DBM_RESET_NONE }, { "full", DBM_RESET_FULL },
    { "true", DBM_RESET_DEFAULT }, { "false", DBM_RESET_NONE }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_isolation[] = {
    { "READ UNCOMMITTED", DBM_READ_UNCOMMITTED }, { "READ COMMITTED", DBM_READ_COMMITTED },
    { "REPEATABLE READ", DBM_REPEATABLE_READ }, { "SERIALIZABLE", DBM_SERIALIZABLE },
    { "AUTOCOMMIT", DBM_AUTOCOMMIT }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_echo[] = {
    { "false", DBM_ECHO_OFF }, { "true", DBM_ECHO_STATEMENTS }, { "values", DBM_ECHO_VALUES }, { "no", DBM_ECHO_OFF },
    { "off", DBM_ECHO_OFF }, { "0", DBM_ECHO_OFF }, { "yes", DBM_ECHO_STATEMENTS }, { "on", DBM_ECHO_STATEMENTS },
    { "1", DBM_ECHO_STATEMENTS }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_tls[] = {
    { "off", DBM_TLS_OFF }, { "prefer", DBM_TLS_PREFER }, { "require", DBM_TLS_REQUIRE }, { "verify-ca", DBM_TLS_VERIFY_CA },
    { "verify-full", DBM_TLS_VERIFY_FULL }, { NULL, 0 }
};
/* How drivers say it in a URL: libpq, and MySQL's ssl-mode. */
static const dbm__setting_word dbm__setting_words_sslmode[] = {
    { "disable", DBM_TLS_OFF }, { "disabled", DBM_TLS_OFF }, { "prefer", DBM_TLS_PREFER }, { "preferred", DBM_TLS_PREFER },
    { "require", DBM_TLS_REQUIRE }, { "required", DBM_TLS_REQUIRE }, { "verify-ca", DBM_TLS_VERIFY_CA },
    { "verify-full", DBM_TLS_VERIFY_FULL }, { "verify-identity", DBM_TLS_VERIFY_FULL }, { NULL, 0 }
};

static const dbm__setting_word *dbm__setting_words(dbm__setting_id id, int *listed) {
    switch ((int)id) {
    case DBM__SET_PRE_PING: *listed = 3; return dbm__setting_words_pre_ping;
    case DBM__SET_RESET: *listed = 4; return dbm__setting_words_reset;
    case DBM__SET_ISOLATION: *listed = 5; return dbm__setting_words_isolation;
    case DBM__SET_ECHO: *listed = 3; return dbm__setting_words_echo;
    case DBM__SET_TLS: *listed = 5; return dbm__setting_words_tls;
    default: *listed = 0; return NULL;
    }
}

DBM__FN const char *dbm__cfg_key(size_t i) { return i < DBM__SET_COUNT ? dbm__setting_table[i].key : NULL; }

static int dbm__setting_find(const char *key, size_t size) {
    int i;
    for (i = 0; i < DBM__SET_COUNT; i++) {
        if (strlen(dbm__setting_table[i].key) == size && memcmp(dbm__setting_table[i].key, key, size) == 0) return i;
    }
    return -1;
}

DBM__FN bool dbm__cfg_known_key(const char *key, size_t size) { return dbm__setting_find(key, size) >= 0; }

DBM__FN bool dbm__cfg_name_ok(const char *name) {
    size_t i;
    for (i = 0; name[i]; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return false;
    }
    return i > 0 && i < sizeof ((dbm_error_info *)NULL)->database;
}

/* ---- settings on their way --------------------------------------------------------------------------------------- */

typedef struct dbm__draft {
    dbm__cfg_memory keep, scratch;
    dbm__problems *p;
    dbm__settings *s;
    const dbm__known_type *types, *type;
    size_t type_count;
    bool type_failed, partly, in_code;
    bool set[DBM__SET_COUNT];           /* given, right or wrong */
    bool wrong[DBM__SET_COUNT];
    dbm__cfg_at at[DBM__SET_COUNT];     /* of what was given, else of the section */
    dbm__cfg_at section;
    dbm_option *options;
    size_t option_count;
} dbm__draft;

static bool dbm__draft_begin(dbm__draft *d, dbm__host *host, const dbm__known_type *types, size_t type_count,
                             const dbm__cfg_at *at, dbm__problems *p) {
    int i;
    memset(d, 0, sizeof *d);
    d->keep.host = d->scratch.host = host;
    d->types = types;
    d->type_count = type_count;
    d->section = *at;
    d->p = p;
    for (i = 0; i < DBM__SET_COUNT; i++) d->at[i] = *at;
    d->s = (dbm__settings *)dbm__alloc_zero(host, sizeof *d->s);
    return d->s && dbm__cfg_secrets_init(host, d->s);
}

/* Hands the settings out, or frees them when there was a problem or no memory. */
static void dbm__draft_end(dbm__draft *d, dbm__host *host, bool ok, dbm__settings **out, bool *no_memory) {
    if (d->keep.failed || d->scratch.failed || !d->s || !d->s->secrets) {
        *no_memory = true;
        ok = false;
    }
    if (d->s) d->s->owned = d->keep.blocks;
    dbm__cfg_release(&d->scratch);
    if (ok) *out = d->s;
    else dbm__settings_free(host, d->s);
}

DBM__FN void dbm__settings_free(dbm__host *host, dbm__settings *settings) {
    dbm__cfg_memory memory;
    if (!settings) return;
    memory.host = host;
    memory.blocks = (dbm__cfg_block *)settings->owned;
    memory.failed = false;
    dbm__cfg_secrets_free(host, settings);
    dbm__cfg_release(&memory);
    dbm__free(host, settings);
}

DBM__FN void dbm__settings_list_free(dbm__host *host, dbm__settings_list *list) {
    size_t i;
    for (i = 0; i < list->count; i++) dbm__settings_free(host, list->items[i]);
    dbm__free(host, list->items);
    list->items = NULL;
    list->count = list->capacity = 0;
}

DBM__FN const char *dbm__settings_option(const dbm__settings *settings, const char *key) {
    const dbm_config *c = &settings->config;
    size_t i;
    for (i = 0; i < c->option_count; i++) {
        if (strcmp(c->options[i].name, key) == 0) return c->options[i].value;
    }
    for (i = 0; i < c->option_count; i++) {
        if (strncmp(c->options[i].name, "connect_args.", 13) == 0 && strcmp(c->options[i].name + 13, key) == 0) {
            return c->options[i].value;
        }
    }
    for (i = settings->url.parameter_count; i-- > 0;) {
        if (strcmp(settings->url.parameters[i].name, key) == 0) return settings->url.parameters[i].value;
    }
    return NULL;
}

/* ---- one value --------------------------------------------------------------------------------------------------- */

/* What a message may show of a value: as it was written, so that what a variable holds stays unseen, and nothing of a URL that
 * came to the wrong key. */
typedef struct dbm__shown { char text[96]; } dbm__shown;

static const char *dbm__draft_value(char *block, size_t capacity, const char *written) {
    const char *url = strstr(written, "://");
    size_t i;
    dbm__text t = dbm__text_in(block, capacity);
    dbm__put_n(&t, written, url ? (size_t)(url - written) : strlen(written));
    if (url) dbm__put(&t, "://...");
    dbm__text_end(&t);
    for (i = 0; block[i]; i++) {
        if ((unsigned char)block[i] < ' ' || block[i] == 0x7F) block[i] = '?';
    }
    dbm__redact(NULL, block);
    return block;
}

static const char *dbm__draft_show(dbm__shown *shown, const char *written, bool variables) {
    dbm__text t = dbm__text_in(shown->text, sizeof shown->text);
    char value[60];
    const char *comment = variables ? strpbrk(written, ";#") : NULL;
    bool variable = variables && strstr(written, "${");
    dbm__putf(&t, variable ? "not what %q holds" : "not %q", dbm__draft_value(value, sizeof value, written));
    if (!variable && comment && comment > written) {
        dbm__put(&t, *comment == '#' ? " (a comment begins with ;)" : " (a blank goes before ;)");
    }
    return shown->text;
}

/* Says which words a key may have. */
static void dbm__draft_word_list(const dbm__setting_word *words, int listed, char *block, size_t capacity) {
    dbm__text t = dbm__text_in(block, capacity);
    int i;
    for (i = 0; i < listed; i++) dbm__putf(&t, i == 0 ? "%s" : i + 1 < listed ? ", %s" : " or %s", words[i].word);
    dbm__text_end(&t);
}

/* Words compare without case; - _ and blanks, however many, are one and the same between them. */
static char dbm__phrase_next(const char **c) {
    char one = *(*c)++;
    if (!one) (*c)--;
    if (one != ' ' && one != '_' && one != '-' && one != '\t') return one >= 'A' && one <= 'Z' ? (char)(one - 'A' + 'a') : one;
    while (**c == ' ' || **c == '_' || **c == '-' || **c == '\t') (*c)++;
    return ' ';
}

static const dbm__setting_word *dbm__phrase_find(const dbm__setting_word *words, const char *value) {
    for (; words->word; words++) {
        const char *a = value, *b = words->word;
        char x, y;
        do {
            x = dbm__phrase_next(&a);
            y = dbm__phrase_next(&b);
        } while (x == y && x);
        if (x == y) return words;
    }
    return NULL;
}

static int dbm__draft_get(const dbm__draft *d, int id) {
    int v = 0;
    if (dbm__setting_table[id].offset) memcpy(&v, (const char *)&d->s->config + dbm__setting_table[id].offset, sizeof v);
    return v;
}

static void dbm__draft_put(dbm__draft *d, int id, int v) {
    if (dbm__setting_table[id].offset) memcpy((char *)&d->s->config + dbm__setting_table[id].offset, &v, sizeof v);
}

static void dbm__draft_put_text(dbm__draft *d, int id, const char *text) {
    memcpy((char *)&d->s->config + dbm__setting_table[id].offset, &text, sizeof text);
}

static void dbm__draft_put_word(dbm__draft *d, int id, int v) {
    dbm_config *c = &d->s->config;
    switch (id) {
    case DBM__SET_PRE_PING: c->pool.pre_ping = (dbm_pre_ping)v; break;
    case DBM__SET_RESET: c->pool.reset_on_return = (dbm_reset)v; break;
    case DBM__SET_ISOLATION: c->isolation = (dbm_isolation)v; break;
    case DBM__SET_ECHO: c->echo = (dbm_echo)v; break;
    case DBM__SET_TLS: c->tls = (dbm_tls)v; break;
    default: break;
    }
}

/* A number or time of a file; value may be empty. */
static void dbm__draft_number(dbm__draft *d, int id, const dbm__cfg_given *given, const char *value) {
    const dbm__setting *key = dbm__setting_table + id;
    dbm__shown shown;
    int64_t number = 0;
    int v = 0;
    bool time = key->kind == DBM__SET_TIME;
    bool ok = time ? dbm__parse_duration(value, &v) : dbm__parse_int(value, INT_MIN, INT_MAX, &number);
    bool unlimited;
    if (key->kind == DBM__SET_INT) v = (int)number;
    unlimited = id == DBM__SET_MAX_OVERFLOW ? v == -1
                : (id == DBM__SET_POOL_SIZE || id == DBM__SET_MAX_CONNECTIONS) && (v == 0 || v == -1);
    if (ok && unlimited) {
        dbm__cfg_bad(d->p, &given->at,
                     "a pool without limit is refused: the limit is 1,000 connections, pool_size and max_overflow together");
        d->wrong[id] = true;
        return;
    }
    if (ok && v == 0 && key->zero != DBM__SET_NO) v = key->zero;
    else if (ok && v == -1) {
        ok = key->minus != DBM__SET_NO;
        v = key->minus;
    } else if (ok) {
        ok = v >= key->min && v <= key->max;
    }
    if (ok) {
        if (id == DBM__SET_MAX_CONNECTIONS) {
            d->s->config.pool.size = v;
            d->s->config.pool.max_overflow = -1;
        } else {
            dbm__draft_put(d, id, v);
        }
        return;
    }
    d->wrong[id] = true;
    dbm__draft_show(&shown, given->value, given->variables);
    if (key->kind == DBM__SET_INT) {
        dbm__cfg_bad(d->p, &given->at, "expected a whole number from %d to %d, %s", key->min, key->max, shown.text);
    } else {
        dbm__cfg_bad(d->p, &given->at,
                     "expected a time such as 30s%s, in ms, s, min, h or d, a bare number being seconds, up to 24 d, %s",
                     key->minus == -1 ? ", or -1 for never" : key->zero == DBM__SET_NO ? ", above 0" : ", or 0",
                     shown.text);
    }
}

static void dbm__draft_word(dbm__draft *d, int id, const dbm__cfg_given *given, const char *value) {
    int listed;
    const dbm__setting_word *words = dbm__setting_words((dbm__setting_id)id, &listed), *found = dbm__phrase_find(words, value);
    dbm__shown shown;
    dbm__cfg_names names;
    char list[160], hint[96];
    int i;
    if (found) {
        dbm__draft_put_word(d, id, found->value);
        return;
    }
    d->wrong[id] = true;
    hint[0] = 0;
    if (!given->variables || !strstr(given->value, "${")) {
        memset(&names, 0, sizeof names);
        names.memory = &d->scratch;
        for (i = 0; i < listed; i++) dbm__cfg_names_add(&names, words[i].word);
        dbm__cfg_suggest(&names, value, hint, sizeof hint);
    }
    dbm__draft_word_list(words, listed, list, sizeof list);
    dbm__cfg_bad(d->p, &given->at, "expected %s, %s%s", list, dbm__draft_show(&shown, given->value, given->variables), hint);
}

static void dbm__draft_size(dbm__draft *d, int id, const dbm__cfg_given *given, const char *value) {
    dbm__shown shown;
    size_t size = 0;
    if (dbm__parse_size(value, &size) && size > 0) {
        d->s->config.row_buffer = size;
        return;
    }
    d->wrong[id] = true;
    dbm__cfg_bad(d->p, &given->at, "expected a size such as 64m, in k, m or g, a bare number being bytes, above 0, %s",
                 dbm__draft_show(&shown, given->value, given->variables));
}

/* ---- type, URL, options ------------------------------------------------------------------------------------------ */

static void dbm__draft_type(dbm__draft *d, const char *word, bool show) {
    dbm__cfg_names names;
    dbm__text list;
    char hint[96], known[256], value[48];
    size_t i;
    d->type = dbm__cfg_type(d->types, d->type_count, word, strlen(word));
    if (d->type) return;
    d->type_failed = true;
    memset(&names, 0, sizeof names);
    names.memory = &d->scratch;
    for (i = 0; i < d->type_count; i++) {
        dbm__cfg_names_add(&names, d->types[i].type);
        dbm__cfg_names_add(&names, d->types[i].schemes);
    }
    list = dbm__text_in(known, sizeof known);
    dbm__cfg_type_names(d->types, d->type_count, &list);
    if (show) {
        dbm__cfg_suggest(&names, word, hint, sizeof hint);
        dbm__cfg_bad(d->p, &d->at[DBM__SET_TYPE], "the type %q is unknown%s (known types: %s)",
                     dbm__draft_value(value, sizeof value, word), hint, known);
    } else {
        dbm__cfg_bad(d->p, &d->at[DBM__SET_TYPE], "what the variable holds is not a known type (known types: %s)", known);
    }
}

static void dbm__draft_url(dbm__draft *d, const char *text, bool variables) {
    dbm__cfg_url_job job;
    memset(&job, 0, sizeof job);
    job.settings = d->s;
    job.keep = &d->keep;
    job.scratch = &d->scratch;
    job.problems = d->p;
    job.at = &d->at[DBM__SET_URL];
    job.types = d->types;
    job.type_count = d->type_count;
    job.type = d->type;
    job.type_failed = d->type_failed;
    job.variables = variables;
    if (!dbm__cfg_url(&job, text)) d->wrong[DBM__SET_URL] = true;
    if (!d->type_failed) d->type = job.type;
}

static void dbm__draft_option(dbm__draft *d, const char *name, const char *value) {
    dbm_option *one = d->options + d->option_count;
    one->name = dbm__cfg_copy(&d->keep, name, strlen(name));
    one->value = dbm__cfg_copy(&d->keep, value, strlen(value));
    if (!one->name || !one->value) return;
    if (dbm__cfg_secret_name(name, strlen(name))) dbm__cfg_secret(d->s, &d->keep, one->value, strlen(one->value));
    d->option_count++;
}

/* Whether the adapter has a key of this name; when not, says so. */
static bool dbm__draft_option_known(dbm__draft *d, const char *name, const dbm__cfg_at *at) {
    dbm__cfg_names names;
    char hint[96], shown[64];
    size_t i, size = strlen(name), head = strcspn(name, ".");
    if (size > 13 && strncmp(name, "connect_args.", 13) == 0) return true;
    if (d->type && dbm__list_has(d->type->options, name, size)) return true;
    for (i = 0; i < d->type_count; i++) {
        if (!dbm__list_has(d->types[i].options, name, size)) continue;
        if (!d->type) return true; /* the type is the mistake, and that has been said */
        dbm__cfg_bad(d->p, at, "this is a key of type %s, and this database is of type %s", d->types[i].type, d->type->type);
        return false;
    }
    memset(&names, 0, sizeof names);
    names.memory = &d->scratch;
    for (i = 0; i < DBM__SET_COUNT; i++) {
        if (!d->in_code) dbm__cfg_names_add(&names, dbm__setting_table[i].key);
    }
    if (d->type) dbm__cfg_names_add(&names, d->type->options);
    hint[0] = 0;
    dbm__copy_cut(shown, sizeof shown, name);
    if (name[head] || dbm__same_word(name, "connect_args")) { /* connect_arg.x */
        names.count = 0;
        dbm__cfg_names_add(&names, "connect_args");
        shown[head < sizeof shown - 4 ? head : sizeof shown - 4] = 0;
        if (names.count && dbm__nearest(shown, names.items, names.count)) {
            dbm__copy_cut(hint, sizeof hint, "; what the driver takes is written connect_args.NAME");
        }
    } else {
        dbm__cfg_suggest(&names, name, hint, sizeof hint);
    }
    if (d->in_code && dbm__setting_find(name, size) >= 0) {
        dbm__cfg_bad(d->p, at, "this is a field of dbm_config (%s), not an option",
                     dbm__setting_table[dbm__setting_find(name, size)].field);
    } else if (d->type) {
        dbm__cfg_bad(d->p, at, "unknown %s%s%s%s", d->in_code ? "option" : "key", hint,
                     d->type->options && *d->type->options ? "; those of this type are " : "",
                     d->type->options ? d->type->options : "");
    } else {
        dbm__cfg_bad(d->p, at, "unknown %s%s", d->in_code ? "option" : "key", hint);
    }
    return false;
}

/* ---- what must fit together -------------------------------------------------------------------------------------- */

static void dbm__draft_complete_number(dbm__draft *d, int id) {
    const dbm__setting *key = dbm__setting_table + id;
    dbm__cfg_at at = d->at[id];
    int v = dbm__draft_get(d, id);
    if (!key->offset || key->kind == DBM__SET_TEXT) return;
    if (v == 0) {
        dbm__draft_put(d, id, key->standard);
        return;
    }
    if (v == -1 && key->none) {
        dbm__draft_put(d, id, 0);
        return;
    }
    if (v >= key->min && v <= key->max) return;
    d->wrong[id] = true;
    if (d->in_code) at.key = key->field;
    if (key->kind == DBM__SET_TIME) {
        dbm__cfg_bad(d->p, &at, "expected milliseconds from %d%s, or 0 for the default, not %d", key->min,
                     key->none ? ", -1 for none" : "", v);
    } else {
        dbm__cfg_bad(d->p, &at, "expected a number from %d to %d%s, or 0 for the default %d, not %d", key->min ? key->min : 1,
                     key->max, key->none ? ", -1 for none" : "", key->standard, v);
    }
}

static void dbm__draft_at(const dbm__draft *d, int id, dbm__cfg_at *at) {
    *at = d->at[id];
    at->key = d->in_code ? dbm__setting_table[id].field : dbm__setting_table[id].key;
}

static void dbm__draft_complete_pool(dbm__draft *d) {
    dbm_pool_options *pool = &d->s->config.pool;
    bool set = pool->max_overflow != 0, wrong;
    int i, id = DBM__SET_MAX_OVERFLOW;
    dbm__cfg_at at;
    for (i = 0; i < DBM__SET_COUNT; i++) {
        if (dbm__setting_table[i].kind == DBM__SET_INT || dbm__setting_table[i].kind == DBM__SET_TIME) {
            dbm__draft_complete_number(d, i);
        }
    }
    wrong = d->wrong[DBM__SET_POOL_SIZE] || d->wrong[DBM__SET_MAX_CONNECTIONS];
    if (wrong) return;
    if (d->set[DBM__SET_MAX_CONNECTIONS] && (d->set[DBM__SET_POOL_SIZE] || d->set[DBM__SET_MAX_OVERFLOW])) {
        dbm__draft_at(d, DBM__SET_MAX_CONNECTIONS, &at);
        dbm__cfg_bad(d->p, &at, "it means pool_size = n with max_overflow = 0; leave out either it or %s",
                     d->set[DBM__SET_POOL_SIZE] ? "pool_size" : "max_overflow");
        return;
    }
    if (!d->wrong[id] && pool->max_overflow > DBM__SET_LIMIT - pool->size) {
        if (!set) {
            pool->max_overflow = DBM__SET_LIMIT - pool->size; /* the default gives way */
        } else {
            dbm__draft_at(d, d->in_code || d->set[id] ? id : DBM__SET_POOL_SIZE, &at);
            dbm__cfg_bad(d->p, &at, "pool_size %d and max_overflow %d are %d connections together; the limit is 1,000",
                         pool->size, pool->max_overflow, pool->size + pool->max_overflow);
        }
    }
    if (!d->wrong[DBM__SET_MIN_IDLE] && pool->min_idle > pool->size) {
        dbm__draft_at(d, DBM__SET_MIN_IDLE, &at);
        dbm__cfg_bad(d->p, &at, "min_idle %d is more than pool_size %d", pool->min_idle, pool->size);
    }
}

static bool dbm__sslmode_name(const char *name) {
    static const char prefix[] = "connect_args.";
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) name += sizeof prefix - 1;
    return dbm__same_word(name, "sslmode") || dbm__same_word(name, "ssl-mode") || dbm__same_word(name, "ssl_mode");
}

/* The same wish, said twice, must be the same. */
static void dbm__draft_complete_tls(dbm__draft *d) {
    dbm_config *c = &d->s->config;
    const dbm_option *list = d->s->url.parameters;
    size_t i, count = d->s->url.parameter_count;
    dbm_tls given = c->tls;
    const char *const where[] = { "in the URL", "in connect_args" };
    dbm__cfg_at at;
    int round;
    for (round = 0; round < 2; round++, list = c->options, count = c->option_count) {
        for (i = 0; i < count; i++) {
            const dbm__setting_word *word;
            int j;
            if (!dbm__sslmode_name(list[i].name)) continue;
            word = dbm__phrase_find(dbm__setting_words_sslmode, list[i].value);
            if (given == DBM_TLS_DEFAULT) {
                if (word && c->tls == DBM_TLS_DEFAULT) c->tls = (dbm_tls)word->value;
                continue;
            }
            if (word && word->value == (int)given) continue;
            for (j = 0; dbm__setting_words_tls[j].word && dbm__setting_words_tls[j].value != (int)given; j++) {}
            dbm__draft_at(d, DBM__SET_TLS, &at);
            dbm__cfg_bad(d->p, &at, "%s differs from sslmode%s%s %s; keep one of them", dbm__setting_words_tls[j].word,
                         word ? " = " : "", word ? word->word : "", where[round]);
        }
    }
}

static void dbm__draft_complete(dbm__draft *d) {
    dbm_config *c = &d->s->config;
    dbm__cfg_at at;
    c->options = d->option_count ? d->options : NULL;
    c->option_count = d->option_count;
    if (!d->set[DBM__SET_URL] && !d->partly && !d->type_failed && !d->wrong[DBM__SET_TYPE] &&
        (!d->type || strcmp(d->type->type, "sqlite") == 0)) {
        dbm__draft_at(d, DBM__SET_URL, &at);
        at.line = d->section.line;
        dbm__cfg_bad(d->p, &at, "it is missing; for example sqlite:///file.db%s",
                     d->type ? ", or sqlite:///:memory:" : " or postgresql://user:password@host/name");
    }
    if (d->type && d->type->macro) {
        dbm__draft_at(d, d->set[DBM__SET_TYPE] ? DBM__SET_TYPE : DBM__SET_URL, &at);
        d->p->not_compiled++;
        if (d->type->package) {
            dbm__cfg_bad(d->p, &at,
                         "type %s is not compiled into this program: define %s where DBM_IMPLEMENTATION is defined (package %s)",
                         d->type->type, d->type->macro, d->type->package);
        } else {
            dbm__cfg_bad(d->p, &at,
                         "dbm.h " DBM_VERSION " has no adapter of type %s: register one of your own with dbm_register, or leave "
                         "this database out", d->type->type);
        }
    }
    dbm__draft_complete_pool(d);
    if (!d->wrong[DBM__SET_TLS] && !d->wrong[DBM__SET_URL]) dbm__draft_complete_tls(d);
    if (!c->row_buffer) c->row_buffer = (size_t)64 << 20;
    if (d->type) c->type = dbm__cfg_copy(&d->keep, d->type->type, strlen(d->type->type));
}

static void dbm__draft_empty_url(dbm_url *url) {
    url->scheme = url->driver = url->user = url->password = url->hosts = url->path = "";
}

/* ---- from a section ---------------------------------------------------------------------------------------------- */

static void dbm__draft_take(dbm__draft *d, const dbm__cfg_given *given) {
    int id = dbm__setting_find(given->key, strlen(given->key));
    const dbm__setting *key = id < 0 ? NULL : dbm__setting_table + id;
    const char *value;
    if (id == DBM__SET_TYPE || id == DBM__SET_URL) return; /* taken before */
    if (!key && !dbm__draft_option_known(d, given->key, &given->at)) return;
    if (key) {
        d->set[id] = true;
        d->at[id] = given->at;
    }
    value = dbm__cfg_expand(key && key->kind != DBM__SET_TEXT ? &d->scratch : &d->keep, given->value, strlen(given->value),
                            given->variables ? DBM__CFG_VARIABLES : 0, d->p, &given->at, NULL);
    if (!value) {
        if (key) d->wrong[id] = true;
        return;
    }
    if (!key) {
        dbm__draft_option(d, given->key, value);
        return;
    }
    switch (key->kind) {
    case DBM__SET_TEXT: dbm__draft_put_text(d, id, *value ? value : NULL); break;
    case DBM__SET_INT:
    case DBM__SET_TIME: dbm__draft_number(d, id, given, value); break;
    case DBM__SET_WORD: dbm__draft_word(d, id, given, value); break;
    case DBM__SET_SIZE: dbm__draft_size(d, id, given, value); break;
    }
}

DBM__FN void dbm__cfg_build(dbm__host *host, const char *name, const dbm__cfg_at *at, const dbm__cfg_given *given, size_t count,
                            const dbm__known_type *types, size_t type_count, bool partly, dbm__settings **out, dbm__problems *p,
                            bool *no_memory) {
    dbm__draft d;
    const dbm__cfg_given *type = NULL, *url = NULL;
    const char *word;
    int before = p->count;
    size_t i;
    dbm__cfg_buffer origin;
    char digits[24];
    *out = NULL;
    if (!dbm__draft_begin(&d, host, types, type_count, at, p)) goto done;
    d.partly = partly;
    dbm__draft_empty_url(&d.s->url);
    d.s->config.url = "";
    d.s->config.name = dbm__cfg_copy(&d.keep, name, strlen(name));
    memset(&origin, 0, sizeof origin);
    origin.memory = &d.keep;
    dbm__cfg_add(&origin, at->file, strlen(at->file));
    dbm__format(digits, sizeof digits, ":%d", at->line);
    dbm__cfg_add(&origin, digits, strlen(digits));
    d.s->origin = dbm__cfg_text(&origin);
    d.options = (dbm_option *)dbm__cfg_alloc(&d.keep, (count + 1) * sizeof *d.options);
    if (!d.options) goto done;
    for (i = 0; i < count; i++) {
        if (strcmp(given[i].key, "type") == 0) type = given + i;
        if (strcmp(given[i].key, "url") == 0) url = given + i;
    }
    if (type) {
        d.set[DBM__SET_TYPE] = true;
        d.at[DBM__SET_TYPE] = type->at;
        word = dbm__cfg_expand(&d.scratch, type->value, strlen(type->value), type->variables ? DBM__CFG_VARIABLES : 0, p,
                               &type->at, NULL);
        if (word) dbm__draft_type(&d, word, !type->variables || !strstr(type->value, "${"));
        else d.wrong[DBM__SET_TYPE] = d.type_failed = true;
    }
    if (url) {
        d.set[DBM__SET_URL] = true;
        d.at[DBM__SET_URL] = url->at;
        dbm__draft_url(&d, url->value, url->variables);
    }
    for (i = 0; i < count; i++) dbm__draft_take(&d, given + i);
    dbm__draft_complete(&d);
done:
    dbm__draft_end(&d, host, p->count == before, out, no_memory);
}

/* ---- from code --------------------------------------------------------------------------------------------------- */

static void dbm__draft_copy(dbm__draft *d, const char **text) {
    if (*text) *text = **text ? dbm__cfg_copy(&d->keep, *text, strlen(*text)) : NULL;
}

/* A number that is no value of its enum. */
static void dbm__draft_enum(dbm__draft *d, int id, int v, int last, const char *type) {
    dbm__cfg_at at;
    if (v >= 0 && v <= last) return;
    d->wrong[id] = true;
    dbm__draft_at(d, id, &at);
    dbm__cfg_bad(d->p, &at, "%d is no value of %s", v, type);
}

static void dbm__draft_options(dbm__draft *d, const dbm_config *in) {
    dbm__cfg_at at = d->section;
    char shown[64];
    size_t i, j;
    at.key = "options";
    if (in->option_count && !in->options) {
        dbm__cfg_bad(d->p, &at, "option_count is %z, but options is NULL", in->option_count);
        return;
    }
    if (in->option_count > DBM__SET_LIMIT) {
        dbm__cfg_bad(d->p, &at, "%z options; the limit is 1,000", in->option_count);
        return;
    }
    d->options = (dbm_option *)dbm__cfg_alloc(&d->keep, (in->option_count + 1) * sizeof *d->options);
    if (!d->options) return;
    for (i = 0; i < in->option_count; i++) {
        const dbm_option *one = in->options + i;
        at.key = "options";
        if (!one->name || !*one->name || !one->value) {
            dbm__cfg_bad(d->p, &at, "option %z has no %s", i, one->name && *one->name ? "value" : "name");
            continue;
        }
        dbm__copy_cut(shown, sizeof shown, one->name);
        at.key = shown;
        for (j = 0; j < i && !(in->options[j].name && strcmp(in->options[j].name, one->name) == 0); j++) {}
        if (j < i) dbm__cfg_bad(d->p, &at, "the option is given twice");
        else if (dbm__draft_option_known(d, one->name, &at)) dbm__draft_option(d, one->name, one->value);
    }
}

DBM__FN dbm_status dbm__config_make(dbm__host *host, const dbm_config *in, const dbm__known_type *types, size_t type_count,
                                    dbm__settings **out, dbm__problems *p) {
    static const char origin[] = "dbm_add_database";
    dbm__draft d;
    dbm_config *c;
    const char *name, *url, *word;
    dbm__cfg_at at;
    char shown[64];
    int before = p->count, before_compiled = p->not_compiled;
    bool no_memory = false;
    *out = NULL;
    at.file = origin;
    at.line = 0;
    at.section = at.key = NULL;
    if (!in) {
        dbm__cfg_bad(p, &at, "the configuration is NULL");
        return DBM_E_CONFIG;
    }
    name = in->name && *in->name ? in->name : "default";
    if (!dbm__cfg_name_ok(name)) {
        dbm__draft_value(shown, sizeof shown, name);
        at.key = "name";
        dbm__cfg_bad(p, &at, "a name is of letters, digits, _ and -, up to 63 of them, not %q", shown);
        name = "default";
        at.key = NULL;
    } else {
        at.section = name;
    }
    if (!dbm__draft_begin(&d, host, types, type_count, &at, p)) goto done;
    d.in_code = true;
    d.s->config = *in;
    c = &d.s->config;
    url = in->url && *in->url ? in->url : NULL;
    word = in->type && *in->type ? in->type : NULL;
    c->name = name;
    c->type = NULL;
    c->url = "";
    c->options = NULL;
    c->option_count = 0;
    dbm__draft_empty_url(&d.s->url);
    d.s->origin = origin;
    dbm__draft_copy(&d, &c->name);
    dbm__draft_copy(&d, &c->tls_ca);
    dbm__draft_copy(&d, &c->tls_cert);
    dbm__draft_copy(&d, &c->tls_key);
    dbm__draft_copy(&d, &c->init_sql);
    dbm__draft_enum(&d, DBM__SET_PRE_PING, (int)in->pool.pre_ping, DBM_PRE_PING_OFF, "dbm_pre_ping");
    dbm__draft_enum(&d, DBM__SET_RESET, (int)in->pool.reset_on_return, DBM_RESET_FULL, "dbm_reset");
    dbm__draft_enum(&d, DBM__SET_ISOLATION, (int)in->isolation, DBM_AUTOCOMMIT, "dbm_isolation");
    dbm__draft_enum(&d, DBM__SET_ECHO, (int)in->echo, DBM_ECHO_VALUES, "dbm_echo");
    dbm__draft_enum(&d, DBM__SET_TLS, (int)in->tls, DBM_TLS_VERIFY_FULL, "dbm_tls");
    d.at[DBM__SET_TYPE].key = "type";
    d.at[DBM__SET_URL].key = "url";
    if (word) {
        d.set[DBM__SET_TYPE] = true;
        dbm__draft_type(&d, word, true);
    }
    if (url) {
        d.set[DBM__SET_URL] = true;
        dbm__draft_url(&d, url, false);
    }
    dbm__draft_options(&d, in);
    dbm__draft_complete(&d);
done:
    dbm__draft_end(&d, host, p->count == before, out, &no_memory);
    if (no_memory) return dbm__no_memory(DBM_STAGE_CONFIG, name, NULL);
    if (p->count == before) return DBM_OK;
    return p->count - before == p->not_compiled - before_compiled ? DBM_E_NOT_COMPILED : DBM_E_CONFIG;
}
/* --- end src/config/settings.c --- */
/* --- begin src/config/ini.c --- */
/* INI files, through inih: it says which line is a section, a key or the continuation of a value; what the lines hold stays
 * here, whole, with its line number. Then overrides, and a dbm__settings for each section.
 * May call: config.h's declarations, base/, inih.
 * Must not know: what a key means. */
#if DBM_HAS_INI
#  if defined(__has_include) && !defined(DBM__BUNDLED_INI_H)
#    if !__has_include(<ini.h>)
#      error "dbm: DBM_WITH_INI needs ini.h of inih: install libinih-dev (Debian), inih-dev (Alpine), inih (macOS), or put ini.h on the include path"
#    endif
#  endif
#  include <ini.h>

/* inih cuts a line at 200 bytes and a value at ` ;`, counts no lines for its handler, and takes no NUL. So it never gets a
 * value: of `  url = postgresql://...` it reads `  url =~`, of a section `[3]`. It answers to each line before it asks for the
 * next, so the line in hand is the one it is about:
 *
 *     file --line--> dbm__ini_read --stand-in--> inih --key, continuation or nothing--> dbm__ini_take --> sections, entries
 */
enum {
    DBM__INI_FILE_MAX = 16 * 1024 * 1024,
    DBM__INI_HEAD_MAX = 120,   /* of a key; inih has room for 200 with all else */
    DBM__INI_SECTIONS_MAX = 1000, DBM__INI_ENTRIES_MAX = 500
};
typedef enum dbm__ini_kind { DBM__INI_NOTHING, DBM__INI_SECTION, DBM__INI_KEY, DBM__INI_BARE } dbm__ini_kind;

typedef struct dbm__ini_piece { struct dbm__ini_piece *next; const char *text; size_t size; } dbm__ini_piece;
typedef struct dbm__ini_entry {
    struct dbm__ini_entry *next;
    const char *key;
    int line;
    dbm__ini_piece first, *last;
} dbm__ini_entry;
typedef struct dbm__ini_section {
    struct dbm__ini_section *next;
    const char *title, *name;    /* "databases.default", "default" */
    int line;
    bool again;                  /* there is an earlier one */
    dbm__ini_entry *first, *last;
    size_t count;
} dbm__ini_section;

typedef struct dbm__ini {
    dbm__cfg_memory memory;
    dbm__problems *p;
    const char *file, *at, *end;
    int number, ordinal;         /* lines and sections so far */
    bool nul, first_seen;        /* a NUL was reported; a section was seen */
    /* the line in hand */
    dbm__ini_kind kind;
    const char *line;            /* without leading blanks */
    size_t size, head;           /* head: bytes before the = or : */
    bool indented, taken, long_head;
    /* what there is */
    dbm__ini_section *sections, *last, *current; /* current: NULL in other services' sections */
    size_t count;
    dbm__ini_entry *entry;       /* which an indented line continues */
} dbm__ini;

static size_t dbm__ini_trim(const char **text, size_t size) {
    while (size && dbm__cfg_blank(**text)) {
        (*text)++;
        size--;
    }
    while (size && dbm__cfg_blank((*text)[size - 1])) size--;
    return size;
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

/* The name between [ and ]; false when there is no ]. */
static bool dbm__ini_title(const dbm__ini *d, const char **title, size_t *size) {
    const char *close = (const char *)memchr(d->line, ']', d->size);
    if (!close) return false;
    *title = d->line + 1;
    *size = dbm__ini_trim(title, (size_t)(close - *title));
    return true;
}

/* Whether a section is about databases: 1 yes, 0 no, -1 it looks as if it were meant to be. */
static int dbm__ini_ours(const char *title, size_t size) {
    static const char *const wanted[] = { "databases" };
    char word[16];
    size_t head;
    if (size > 10 && memcmp(title, "databases.", 10) == 0) return 1;
    for (head = 0; head < size && !strchr(".:/", title[head]) && !dbm__cfg_blank(title[head]); head++) {}
    if (head < 6 || head >= sizeof word) return 0;
    memcpy(word, title, head);
    word[head] = 0;
    if (head == size) return dbm__same_word(word, wanted[0]) ? -1 : 0;
    return dbm__nearest(word, wanted, 1) ? -1 : 0;
}

static void dbm__ini_section_begin(dbm__ini *d) {
    const char *title, *rest;
    char shown[80], name[80];
    size_t size, more;
    int ours;
    dbm__ini_section *s;
    const dbm__ini_section *other;
    dbm__text t;
    d->current = NULL;
    d->entry = NULL;
    d->first_seen = true;
    if (!dbm__ini_title(d, &title, &size)) {
        title = d->line + 1;
        size = dbm__ini_trim(&title, d->size - 1);
        if (dbm__ini_ours(title, size)) {
            dbm__problem(d->p, d->file, d->number, NULL, NULL, "a section's [ has no ]; expected [databases.NAME]");
        }
        return;
    }
    ours = dbm__ini_ours(title, size);
    if (!ours) return;
    t = dbm__text_in(shown, sizeof shown);
    dbm__put_n(&t, title, size);
    dbm__text_end(&t);
    name[0] = 0;
    if (ours > 0 && size - 10 < sizeof name) {
        memcpy(name, title + 10, size - 10);
        name[size - 10] = 0;
    }
    if (ours < 0) {
        dbm__problem(d->p, d->file, d->number, NULL, NULL, "section [%s]: a database's section is written [databases.NAME]",
                     shown);
        return;
    }
    if (!dbm__cfg_name_ok(name)) {
        dbm__problem(d->p, d->file, d->number, NULL, NULL,
                     "section [%s]: a database's name is of letters, digits, _ and -, up to 63 of them", shown);
        return;
    }
    rest = (const char *)memchr(title + size, ']', (size_t)(d->line + d->size - (title + size))) + 1;
    more = dbm__ini_trim(&rest, (size_t)(d->line + d->size - rest));
    if (more && *rest != ';' && *rest != '#') {
        dbm__problem(d->p, d->file, d->number, shown, NULL, "there is a text after the ]; a key goes on a line of its own");
    }
    if (d->count >= DBM__INI_SECTIONS_MAX) {
        if (d->count == DBM__INI_SECTIONS_MAX) {
            dbm__problem(d->p, d->file, d->number, NULL, NULL,
                         "more than 1,000 databases; this and later sections are not read");
            d->count++;
        }
        return;
    }
    s = (dbm__ini_section *)dbm__cfg_alloc(&d->memory, sizeof *s);
    if (!s) return;
    s->line = d->number;
    s->title = dbm__cfg_copy(&d->memory, shown, strlen(shown));
    if (!s->title) return;
    s->name = s->title + 10;
    for (other = d->sections; other; other = other->next) {
        if (other->again || strcmp(other->name, s->name) != 0) continue;
        s->again = true;
        dbm__problem(d->p, d->file, d->number, s->title, NULL, "the section is there already, at line %d", other->line);
    }
    if (d->last) d->last->next = s;
    else d->sections = s;
    d->last = d->current = s;
    d->count++;
}

/* ---- lines: what inih reads -------------------------------------------------------------------------------------- */

/* Before the next line: what inih had no word for. */
static void dbm__ini_settle(dbm__ini *d) {
    if (d->taken || d->memory.failed) return;
    if (d->kind == DBM__INI_SECTION) {
        dbm__ini_section_begin(d);
    } else if (d->kind != DBM__INI_NOTHING && d->current) {
        dbm__problem(d->p, d->file, d->number, d->current->title, NULL, "expected key = value, a section or a comment");
    }
    d->kind = DBM__INI_NOTHING;
}

/* Takes the next line out of the text. */
static void dbm__ini_line(dbm__ini *d) {
    const char *end = d->at;
    while (end < d->end && *end != '\n' && *end != '\r') end++;
    d->line = d->at;
    d->size = (size_t)(end - d->at);
    d->at = end;
    if (d->at < d->end && *d->at++ == '\r' && d->at < d->end && *d->at == '\n') d->at++;
    d->number++;
    d->kind = DBM__INI_NOTHING;
    d->taken = d->indented = d->long_head = false;
    if (d->size && memchr(d->line, 0, d->size)) {
        if (!d->nul) {
            dbm__problem(d->p, d->file, d->number, d->current ? d->current->title : NULL, NULL,
                         "a NUL byte; the file must be plain text (UTF-8, not UTF-16)");
        }
        d->nul = true;
        return;
    }
    d->indented = d->size && dbm__cfg_blank(*d->line);
    d->size = dbm__ini_trim(&d->line, d->size);
    if (!d->size || *d->line == ';' || *d->line == '#') return;
    for (d->head = 0; d->head < d->size && d->line[d->head] != '=' && d->line[d->head] != ':'; d->head++) {}
    d->kind = *d->line == '[' ? DBM__INI_SECTION : d->head < d->size ? DBM__INI_KEY : DBM__INI_BARE;
}

static char *dbm__ini_read(char *block, int capacity, void *stream) {
    dbm__ini *d = (dbm__ini *)stream;
    dbm__text t;
    size_t head, room;
    dbm__ini_settle(d);
    if (d->at >= d->end || d->memory.failed || capacity < 32) return NULL;
    dbm__ini_line(d);
    t = dbm__text_in(block, (size_t)capacity);
    if (d->indented) dbm__put(&t, " ");
    switch (d->kind) {
    case DBM__INI_NOTHING: break;
    case DBM__INI_SECTION: dbm__putf(&t, "[%d]", ++d->ordinal); break;
    case DBM__INI_BARE: dbm__put(&t, "?"); break; /* not the text: it may be part of a secret */
    case DBM__INI_KEY:
        room = (size_t)capacity - 8;
        if (room > DBM__INI_HEAD_MAX) room = DBM__INI_HEAD_MAX;
        head = d->head;
        if (head > room) {
            head = room;
            d->long_head = true;
        }
        dbm__put_n(&t, d->line, head);
        dbm__put(&t, "=~");
        break;
    }
    dbm__put(&t, "\n");
    return block;
}

/* ---- entries: what inih says ------------------------------------------------------------------------------------- */

static void dbm__ini_continue(dbm__ini *d) {
    dbm__ini_piece *piece;
    const char *title, *key = d->line;
    size_t size;
    if (!d->entry || !d->current) return;
    if (d->kind == DBM__INI_SECTION) {
        if (dbm__ini_title(d, &title, &size) && dbm__ini_ours(title, size)) {
            dbm__problem(d->p, d->file, d->number, d->current->title, NULL,
                         "an indented line continues the value of %q above; a section begins in the first column",
                         d->entry->key);
            return;
        }
    } else if (d->kind == DBM__INI_KEY) {
        size = dbm__ini_trim(&key, d->head);
        if (dbm__cfg_known_key(key, size)) {
            char shown[32];
            dbm__text t = dbm__text_in(shown, sizeof shown);
            dbm__put_n(&t, key, size);
            dbm__problem(d->p, d->file, d->number, d->current->title, shown,
                         "an indented line continues the value of %q above; a key begins in the first column", d->entry->key);
            return;
        }
    }
    piece = (dbm__ini_piece *)dbm__cfg_alloc(&d->memory, sizeof *piece);
    if (!piece) return;
    piece->text = d->line;
    piece->size = d->size;
    d->entry->last->next = piece;
    d->entry->last = piece;
}

static void dbm__ini_key(dbm__ini *d, const char *name) {
    dbm__ini_section *s = d->current;
    dbm__ini_entry *entry, *other;
    d->entry = NULL;
    if (!s) {
        if (!d->first_seen && dbm__cfg_known_key(name, strlen(name))) {
            dbm__problem(d->p, d->file, d->number, NULL, name,
                         "the key is above the first section; expected [databases.NAME] before it");
        }
        return;
    }
    if (d->long_head || !*name) {
        dbm__problem(d->p, d->file, d->number, s->title, NULL,
                     d->long_head ? "the text before the = is too long for a key" : "there is no key before the =");
        return;
    }
    for (other = s->first; other && strcmp(other->key, name) != 0; other = other->next) {}
    if (other) {
        dbm__problem(d->p, d->file, d->number, s->title, other->key, "the key is there already, at line %d", other->line);
    }
    if (s->count++ >= DBM__INI_ENTRIES_MAX) {
        if (s->count == DBM__INI_ENTRIES_MAX + 1) {
            dbm__problem(d->p, d->file, d->number, s->title, NULL, "more than 500 keys; this and later ones are not read");
        }
        return;
    }
    entry = (dbm__ini_entry *)dbm__cfg_alloc(&d->memory, sizeof *entry);
    if (!entry) return;
    entry->key = dbm__cfg_copy(&d->memory, name, strlen(name));
    if (!entry->key) return;
    entry->line = d->number;
    entry->first.text = d->line + d->head + 1;
    entry->first.size = dbm__ini_trim(&entry->first.text, d->size - d->head - 1);
    entry->last = &entry->first;
    d->entry = entry;
    if (other) return; /* read on, so that its continuation has a place; it counts for nothing */
    if (s->last) s->last->next = entry;
    else s->first = entry;
    s->last = entry;
}

/* inih's handler. An error of ours is noted, never returned, so that all of them are found. */
#if INI_HANDLER_LINENO
static int dbm__ini_take(void *user, const char *section, const char *name, const char *value, int line) {
    dbm__ini *d = (dbm__ini *)user;
    (void)line;
#else
static int dbm__ini_take(void *user, const char *section, const char *name, const char *value) {
    dbm__ini *d = (dbm__ini *)user;
#endif
    (void)section;
    if (!name || !value) return 1;
    d->taken = true;
    if (d->kind == DBM__INI_KEY && strcmp(value, "~") == 0) dbm__ini_key(d, name);
    else dbm__ini_continue(d);
    return 1;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Where a comment may begin. */
typedef enum dbm__ini_comment { DBM__INI_LOOSE, DBM__INI_CAREFUL, DBM__INI_WHOLE } dbm__ini_comment;

static dbm__ini_comment dbm__ini_comments(const char *key) {
    if (strcmp(key, "init_sql") == 0) return DBM__INI_WHOLE;
    return strcmp(key, "url") == 0 || !dbm__cfg_known_key(key, strlen(key)) ? DBM__INI_CAREFUL : DBM__INI_LOOSE;
}

static size_t dbm__ini_uncomment(const char *text, size_t size, dbm__ini_comment how) {
    size_t i;
    for (i = 0; i < size && how != DBM__INI_WHOLE; i++) {
        if (text[i] != ';' || (i && !dbm__cfg_blank(text[i - 1]))) continue;
        if (how == DBM__INI_CAREFUL && i + 1 < size && !dbm__cfg_blank(text[i + 1])) continue;
        size = i;
        break;
    }
    while (size && dbm__cfg_blank(text[size - 1])) size--;
    return size;
}

/* The value of an entry, in one text, without comments and quotes. NULL after a problem or without memory. */
static const char *dbm__ini_value(dbm__ini *d, const dbm__ini_entry *entry, const dbm__cfg_at *at) {
    dbm__cfg_buffer b;
    const dbm__ini_piece *piece = &entry->first;
    const char *text = piece->text;
    size_t i = 1, size = piece->size;
    memset(&b, 0, sizeof b);
    b.memory = &d->memory;
    if (!size || *text != '"') {
        for (; piece; piece = piece->next) {
            size = dbm__ini_uncomment(piece->text, piece->size, dbm__ini_comments(entry->key));
            if (b.size && size) dbm__cfg_add(&b, " ", 1);
            dbm__cfg_add(&b, piece->text, size);
        }
        return dbm__cfg_text(&b);
    }
    for (;;) { /* to the closing quote, maybe lines below */
        if (i == size) {
            piece = piece->next;
            if (!piece) {
                dbm__cfg_bad(d->p, at, "the value begins with \" but has no \" at its end; a \" inside is written \"\"");
                return NULL;
            }
            text = piece->text;
            size = piece->size;
            i = 0;
            dbm__cfg_add(&b, " ", 1);
            continue;
        }
        if (text[i] == '"') {
            if (i + 1 == size || text[i + 1] != '"') break;
            i++;
        }
        dbm__cfg_add(&b, text + i, 1);
        i++;
    }
    text += i + 1;
    size = dbm__ini_trim(&text, size - i - 1);
    if ((size && *text != ';') || piece->next) {
        dbm__cfg_bad(d->p, at, "there is a text after the closing \"; a \" inside is written \"\"");
        return NULL;
    }
    return dbm__cfg_text(&b);
}

/* ---- overrides --------------------------------------------------------------------------------------------------- */

static void dbm__ini_upper(dbm__text *t, const char *text, bool key) {
    for (; *text; text++) {
        char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
        if (c == '.' && key) dbm__put(t, "_"); /* with the next: connect_args.x is CONNECT_ARGS__X */
        if (c == '-' || c == '.') c = '_';
        dbm__put_n(t, &c, 1);
    }
}

/* Looks for DBM__DATABASES__NAME__KEY and puts it into `given`. */
static void dbm__ini_override(dbm__ini *d, const dbm__ini_section *s, const char *key, dbm__cfg_given *given, size_t *count,
                              size_t capacity) {
    char name[320], origin[340];
    dbm__text t = dbm__text_in(name, sizeof name);
    const char *value;
    size_t i;
    dbm__put(&t, "DBM__DATABASES__");
    dbm__ini_upper(&t, s->name, false);
    dbm__put(&t, "__");
    dbm__ini_upper(&t, key, true);
    value = t.cut ? NULL : dbm__cfg_env(name);
    if (!value || !*value) return;
    for (i = 0; i < *count && strcmp(given[i].key, key) != 0; i++) {}
    if (i == *count) {
        if (*count == capacity) return;
        ++*count;
    }
    dbm__format(origin, sizeof origin, "environment %s", name);
    given[i].key = key;
    given[i].value = dbm__cfg_copy(&d->memory, value, strlen(value));
    given[i].variables = false;
    given[i].at.file = dbm__cfg_copy(&d->memory, origin, strlen(origin));
    given[i].at.line = 0;
    given[i].at.section = s->title;
    given[i].at.key = key;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static bool dbm__ini_section_end(dbm__ini *d, const dbm__ini_section *s, const dbm__known_type *types, size_t type_count,
                                 bool use_env, const dbm__cfg_names *options, dbm__settings **out) {
    dbm__cfg_given *given;
    const dbm__ini_entry *entry;
    const char *key;
    dbm__cfg_at at;
    size_t i, count = 0, capacity = 64 + options->count;
    bool no_memory = false, partly = s->again;
    *out = NULL;
    for (entry = s->first; entry; entry = entry->next) capacity++;
    given = (dbm__cfg_given *)dbm__cfg_alloc(&d->memory, capacity * sizeof *given);
    if (!given) return false;
    at.file = d->file;
    at.section = s->title;
    /* the file's entries, without values yet: one that is overridden need not be right */
    for (entry = s->first; entry; entry = entry->next, count++) given[count].key = entry->key;
    if (use_env && !s->again) {
        size_t own = count;
        for (i = 0; (key = dbm__cfg_key(i)) != NULL; i++) dbm__ini_override(d, s, key, given, &count, capacity);
        for (i = 0; i < options->count; i++) dbm__ini_override(d, s, options->items[i], given, &count, capacity);
        for (i = 0; i < own; i++) {
            if (strncmp(given[i].key, "connect_args.", 13) == 0) dbm__ini_override(d, s, given[i].key, given, &count, capacity);
        }
    }
    for (i = 0, entry = s->first; entry; entry = entry->next) {
        if (given[i].value) {
            i++;
            continue;
        }
        at.line = entry->line;
        at.key = entry->key;
        given[i].at = at;
        given[i].variables = true;
        given[i].value = dbm__ini_value(d, entry, &at);
        if (given[i].value) {
            i++;
        } else { /* the rest moves up */
            if (strcmp(entry->key, "url") == 0 || strcmp(entry->key, "type") == 0) partly = true;
            count--;
            memmove(given + i, given + i + 1, (count - i) * sizeof *given);
        }
    }
    if (d->memory.failed) return false;
    at.line = s->line;
    at.key = NULL;
    dbm__cfg_build(d->memory.host, s->name, &at, given, count, types, type_count, partly, out, d->p, &no_memory);
    if (s->again) { /* only its mistakes were wanted */
        dbm__settings_free(d->memory.host, *out);
        *out = NULL;
    }
    return !no_memory;
}

static dbm_status dbm__ini_load(dbm__host *host, const char *file, const char *text, size_t size, const dbm__known_type *types,
                                size_t type_count, bool use_env, dbm__settings_list *out, dbm__problems *p) {
    dbm__ini d;
    dbm__cfg_names options;
    dbm__settings_list list;
    const dbm__ini_section *s;
    size_t i;
    int rc, before = p->count, before_compiled = p->not_compiled;
    bool ok;
    memset(&d, 0, sizeof d);
    memset(&options, 0, sizeof options);
    memset(&list, 0, sizeof list);
    d.memory.host = host;
    d.p = p;
    d.file = file;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        size -= 3;
    }
    d.at = text;
    d.end = text + size;
    rc = ini_parse_stream(dbm__ini_read, &d, dbm__ini_take, &d);
    dbm__ini_settle(&d);
    ok = rc >= 0 && !d.memory.failed;
    if (ok && d.at < d.end) {
        dbm__problem(p, file, d.number + 1, NULL, NULL,
                     "inih reads no further; this build of it stops early, or its INI_MAX_LINE is under 32");
    }
    options.memory = &d.memory;
    for (i = 0; i < type_count; i++) dbm__cfg_names_add(&options, types[i].options);
    if (d.sections && ok) {
        list.items = (dbm__settings **)dbm__alloc_zero(host, (d.count + 1) * sizeof *list.items);
        list.capacity = d.count + 1;
        ok = list.items != NULL;
    }
    for (s = d.sections; s && ok; s = s->next) {
        ok = dbm__ini_section_end(&d, s, types, type_count, use_env, &options, &list.items[list.count]);
        if (list.items[list.count]) list.count++;
    }
    ok = ok && !d.memory.failed;
    dbm__cfg_release(&d.memory);
    if (ok && p->count == before) {
        *out = list;
        return DBM_OK;
    }
    dbm__settings_list_free(host, &list);
    if (!ok) return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    return p->count - before == p->not_compiled - before_compiled ? DBM_E_NOT_COMPILED : DBM_E_CONFIG;
}

#if DBM__STDIO
/* Reads a whole file. NULL after a problem or without memory; all copies of its text but the returned one are wiped. */
static char *dbm__ini_file(dbm__host *host, const char *path, size_t *out_size, dbm__problems *p, bool *no_memory) {
    FILE *f = fopen(path, "rb");
    size_t size = 0, capacity = 8192, n;
    char *text = NULL, *more;
    const char *why = NULL;
    if (!f) {
        dbm__problem(p, path, 0, NULL, NULL, "the file cannot be opened; is the path right, and may this program read it?");
        return NULL;
    }
    (void)setvbuf(f, NULL, _IONBF, 0); /* the stream would keep a copy of the passwords */
    text = (char *)dbm__alloc(host, capacity);
    while (text) {
        n = fread(text + size, 1, capacity - size, f);
        size += n;
        if (ferror(f)) why = "the file cannot be read";
        else if (size > DBM__INI_FILE_MAX) why = "the file is larger than 16 MiB, which no configuration is";
        if (why || !n) break;
        if (size < capacity) continue;
        more = (char *)dbm__alloc(host, capacity * 2);
        if (more) memcpy(more, text, size);
        dbm__wipe(text, size);
        dbm__free(host, text);
        text = more;
        capacity *= 2;
    }
    (void)fclose(f);
    if (!text) *no_memory = true;
    if (why) {
        dbm__problem(p, path, 0, NULL, NULL, "%s", why);
        dbm__wipe(text, size);
        dbm__free(host, text);
        return NULL;
    }
    *out_size = size;
    return text;
}
#endif
#endif /* DBM_HAS_INI */

DBM__FN dbm_status dbm__config_load(dbm__host *host, const char *path, const char *text, size_t size,
                                    const dbm__known_type *types, size_t type_count, bool use_env, dbm__settings_list *out,
                                    dbm__problems *p) {
    out->items = NULL;
    out->count = out->capacity = 0;
#if !DBM_HAS_INI
    (void)host;
    (void)text;
    (void)size;
    (void)types;
    (void)type_count;
    (void)use_env;
    p->not_compiled++;
    dbm__problem(p, path ? path : "text", 0, NULL, NULL,
                 "reading INI is not compiled into this program: define DBM_WITH_INI where DBM_IMPLEMENTATION is "
                 "defined (link with -linih, package libinih-dev)");
    return DBM_E_NOT_COMPILED;
#else
    if (text) {
        return dbm__ini_load(host, path ? path : "text", text, size == SIZE_MAX ? strlen(text) : size, types, type_count,
                             use_env, out, p);
    }
    if (!path || !*path) {
        dbm__problem(p, NULL, 0, NULL, NULL, "the path of the configuration file is missing");
        return DBM_E_CONFIG;
    }
#  if !DBM__STDIO
    dbm__problem(p, path, 0, NULL, NULL,
                 "this program is built without files (DBM_NO_STDIO); load the text from memory (dbm_load_text)");
    return DBM_E_UNSUPPORTED;
#  else
    {
        bool no_memory = false;
        dbm_status rc;
        char *file = dbm__ini_file(host, path, &size, p, &no_memory);
        if (no_memory) return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
        if (!file) return DBM_E_CONFIG;
        rc = dbm__ini_load(host, path, file, size, types, type_count, use_env, out, p);
        dbm__wipe(file, size);
        dbm__free(host, file);
        return rc;
    }
#  endif
#endif
}
/* --- end src/config/ini.c --- */
/* --- begin src/adapter/adapter.h --- */
/* Databases and connections as every room below sees them, and the running of operations: the step loop, the blocking entries, and
 * the emulation of what an adapter leaves out.
 * May call: api/, base/, net/, config/.
 * Must not know: pools, sessions, SQL beyond the few words of a transaction. */
#ifndef DBM__ADAPTER_H
#define DBM__ADAPTER_H

#ifdef __cplusplus
extern "C" {
#endif

/* One database. The first block never changes after init and is what the hot path reads. */
struct dbm_database {
    struct dbm__pool *pool;          /* NULL until init; pool/ */
    const dbm_adapter *adapter;
    dbm__host *host;
    struct dbm__gate *gate;          /* where writers take turns; NULL: nowhere */
    bool transactions, savepoints, one_result; /* the adapter's flags */
    bool single;                     /* one connection, for ever */
    bool autocommit;                 /* isolation_level = AUTOCOMMIT */
    dbm_isolation isolation;
    const char *name;
    dbm__settings *settings;
    struct dbm__shared *shared;      /* what the databases of a manager share; pool/ */
    void *data;                      /* the adapter's */
    dbm__word clear_text;            /* the warning about a password in clear has been given */
    /* Called on a connection that has just been made, before it serves: makes its statement cache, runs init_sql. session/ */
    dbm_status (*on_connect)(struct dbm_connection *c, int64_t deadline_us);
    /* Called before a connection is closed. session/ */
    void (*on_disconnect)(struct dbm_connection *c);
    /* In a child process, for every slot, before its connection is forgotten: c->open is false, so that nothing is sent. session/ */
    void (*on_fork)(struct dbm_connection *c);
    /* How far init has come; guarded by init_lock, read by atomics. */
    dbm__lock init_lock;
    dbm__word state;                 /* DBM__DB_... */
    dbm_error_info *init_error;
};
enum { DBM__DB_NEW = 0, DBM__DB_READY = 1, DBM__DB_FAILED = 2, DBM__DB_CLOSED = 3 };

/* One physical connection. Belongs to whoever has its slot. */
struct dbm_connection {
    dbm_database *db;
    void *data;                      /* the adapter's */
    struct dbm__cache *cache;        /* its prepared statements; sql/ */
    bool open;                       /* connect succeeded, disconnect not yet called */
    bool broken;                     /* to be closed, not returned */
    bool readers_block;              /* see dbm_adapter_readers_block() */
    bool reported;                   /* dbm_adapter_fail() was called during this operation */
    bool connecting;                 /* failures are of stage CONNECT */
    dbm__word cancelled;             /* by dbm_cancel; until the session ends, every operation that can be cancelled is */
    dbm__word cache_hits, cache_misses, cache_evictions; /* for dbm_stats; written by whoever has it */
    char *user, *password;           /* of the credential callback, until the connect is done */
};

/* Checks an adapter's table before it is registered. E_MISUSE says what is wrong. */
DBM__FN dbm_status dbm__adapter_check(const dbm_adapter *adapter);
/* Runs one operation to its end: step loop or blocking entry. UNSUPPORTED is emulated where that is possible. The failure, if any, is
 * this thread's last error, with database and stage. */
DBM__FN dbm_status dbm__op_run(dbm_connection *c, dbm_op *op);
/* The same for start/step adapters in pieces, for who waits for several at once: start; then, until `want` is DBM_STEP_DONE, wait for op->fd
 * and `want` until dbm__running_until() at the latest (INT64_MAX: look in after a second) and tell dbm__running_heard() what came: DBM_OK, DBM_E_TIMEOUT or
 * what dbm__net_wait() said; then dbm__op_end(c, op, op->status). c->reported must be false at the start. */
typedef struct dbm__running {
    dbm_connection *c;
    dbm_op *op;
    dbm_step want;
    int phase;
    bool cancellable;
    int64_t limit_us, quiet_us;
} dbm__running;
DBM__FN void dbm__running_start(dbm__running *r, dbm_connection *c, dbm_op *op);
DBM__FN int64_t dbm__running_until(dbm__running *r);
DBM__FN void dbm__running_heard(dbm__running *r, dbm_status heard);
DBM__FN dbm_status dbm__op_end(dbm_connection *c, dbm_op *op, dbm_status st);
/* An empty operation. */
DBM__FN void dbm__op_init(dbm_op *op, dbm_op_kind kind, int64_t deadline_us);
/* Forgets what the credential callback gave for a connect that is done. */
DBM__FN void dbm__credentials_drop(dbm_connection *c);
DBM__FN void dbm__connection_close(dbm_connection *c, dbm_disconnect how);
/* The failure of a blocking entry, completed and reported; for callers that call an entry themselves on the hot path. */
DBM__FN dbm_status dbm__op_failed(dbm_connection *c, dbm_op_kind kind, dbm_status status);

#ifdef __cplusplus
}
#endif
#endif /* DBM__ADAPTER_H */
/* --- end src/adapter/adapter.h --- */
/* --- begin src/adapter/table.c --- */
/* The adapter's side of the table: its checks at registration, and the calls that adapters make.
 * May call: api/, base/, config/.
 * Must not know: how operations are run, pools, sessions. */

DBM__FN dbm_status dbm__adapter_check(const dbm_adapter *a) {
    const char *type;
    if (a == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: the adapter is NULL");
    if (a->size != sizeof(dbm_adapter) || a->version != DBM_ADAPTER_VERSION) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL,
                         "dbm_register: the adapter was built for another dbm.h (size %u and version %u, here %u and %u): compile it "
                         "again, with .size = sizeof(dbm_adapter) and .version = DBM_ADAPTER_VERSION",
                         (uint64_t)a->size, (uint64_t)a->version, (uint64_t)sizeof(dbm_adapter), (uint64_t)DBM_ADAPTER_VERSION);
    }
    type = a->type != NULL ? a->type : "";
    if (type[0] == 0) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: the adapter has no .type");
    if (a->init == NULL || a->close == NULL) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: adapter %q lacks .%s, which is required", type,
                         a->init == NULL ? "init" : "close");
    }
    if ((a->start == NULL) != (a->step == NULL)) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: adapter %q has one of .start and .step; both or none",
                         type);
    }
    if ((a->connect != NULL || a->start != NULL) && a->disconnect == NULL) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: adapter %q connects but has no .disconnect", type);
    }
    if ((a->fetch != NULL || a->start != NULL) && a->column == NULL) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: adapter %q fetches rows but has no .column", type);
    }
    return DBM_OK;
}

/* ---- failures ------------------------------------------------------------------------------------------------------- */

/* What a SQLSTATE's class says, where the adapter itself does not. Source: ISO 9075-2 table 38, and PostgreSQL's appendix A. */
static dbm_status dbm__status_of_sqlstate(const char *s, bool *retryable) {
    *retryable = false;
    if (s == NULL || s[0] == 0) return DBM_E_SQL;
    if (strcmp(s, "40001") == 0) { *retryable = true; return DBM_E_SERIALIZATION; }
    if (strcmp(s, "40P01") == 0) { *retryable = true; return DBM_E_DEADLOCK; }
    if (strcmp(s, "25006") == 0) return DBM_E_READ_ONLY;
    if (strcmp(s, "57014") == 0) return DBM_E_CANCELLED;
    if (strncmp(s, "08", 2) == 0 || strncmp(s, "57P", 3) == 0) { *retryable = true; return DBM_E_LOST; }
    if (strncmp(s, "28", 2) == 0) return DBM_E_AUTH;
    if (strncmp(s, "23", 2) == 0) return DBM_E_CONSTRAINT;
    if (strncmp(s, "22003", 5) == 0) return DBM_E_RANGE;
    return DBM_E_SQL;
}

static dbm_constraint dbm__constraint_of_sqlstate(const char *s) {
    static const struct { const char *state; dbm_constraint kind; } known[] = {
        { "23505", DBM_CONSTRAINT_UNIQUE }, { "23502", DBM_CONSTRAINT_NOT_NULL }, { "23503", DBM_CONSTRAINT_FOREIGN_KEY },
        { "23514", DBM_CONSTRAINT_CHECK }, { "23P01", DBM_CONSTRAINT_EXCLUSION }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) if (strcmp(s, known[i].state) == 0) return known[i].kind;
    return DBM_CONSTRAINT_OTHER;
}

DBM__DEF dbm_status dbm_adapter_fail(dbm_connection *c, dbm_status status, const char *sqlstate, int native, const char *text) {
    dbm_error_info *e;
    bool retryable = status == DBM_E_LOST || status == DBM_E_SERIALIZATION || status == DBM_E_DEADLOCK;
    if (c == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_adapter_fail: the connection is NULL");
    if (status == DBM_OK || status == DBM_DONE) {
        status = DBM_OK;
        if (c->db->adapter->classify != NULL) status = c->db->adapter->classify(c, sqlstate, native, &retryable);
        if (status == DBM_OK || status == DBM_DONE) status = dbm__status_of_sqlstate(sqlstate, &retryable);
    }
    dbm__fail(status, c->connecting ? DBM_STAGE_CONNECT : DBM_STAGE_STATEMENT, c->db->name, NULL, "%s",
              text != NULL && text[0] != 0 ? text : dbm_status_text(status));
    e = &dbm__self()->last;
    e->native_code = native;
    e->retryable = retryable;
    if (sqlstate != NULL) dbm__copy_cut(e->sqlstate, sizeof e->sqlstate, sqlstate);
    if (status == DBM_E_CONSTRAINT && sqlstate != NULL) e->constraint = dbm__constraint_of_sqlstate(sqlstate);
    dbm__redact(c->db->settings, e->message);
    if (status == DBM_E_LOST) c->broken = true;
    c->reported = true;
    return status;
}

DBM__DEF dbm_status dbm_adapter_fail_init(dbm_database *db, dbm_status status, const char *text) {
    dbm__fail(status, DBM_STAGE_CONFIG, db->name, NULL, "database %q (%s): %s", db->name, db->settings->origin, text);
    dbm__redact(db->settings, dbm__self()->last.message);
    return status;
}

DBM__DEF void dbm_adapter_fail_retryable(dbm_connection *c) {
    (void)c;
    dbm__self()->last.retryable = true;
}

DBM__DEF void dbm_adapter_fail_constraint(dbm_connection *c, dbm_constraint kind, const char *name) {
    dbm_error_info *e = &dbm__self()->last;
    e->constraint = kind;
    dbm__copy_cut(e->constraint_name, sizeof e->constraint_name, name != NULL ? name : "");
    dbm__redact(c->db->settings, e->constraint_name);
}

DBM__DEF void dbm_adapter_broken(dbm_connection *c) { c->broken = true; }

DBM__DEF void dbm_adapter_notice(dbm_connection *c, const char *text) {
    char copy[1024];
    if (!dbm__event_wanted(c->db->host, DBM_LOG_INFO)) return;
    dbm__copy_cut(copy, sizeof copy, text);
    dbm__redact(c->db->settings, copy);
    dbm__event(c->db->host, DBM_EVENT_NOTICE, DBM_LOG_INFO, c->db->name, NULL, DBM_OK, 0, "%s", copy);
}

/* ---- configuration and memory --------------------------------------------------------------------------------------- */

DBM__DEF const char *dbm_adapter_option(dbm_database *db, const char *key) { return dbm__settings_option(db->settings, key); }
DBM__DEF const dbm_url *dbm_adapter_url(dbm_database *db) { return &db->settings->url; }
DBM__DEF const dbm_config *dbm_adapter_config(dbm_database *db) { return &db->settings->config; }
DBM__DEF dbm_database *dbm_adapter_database(dbm_connection *c) { return c->db; }
DBM__DEF void dbm_adapter_set_data(dbm_connection *c, void *data) { c->data = data; }
DBM__DEF void *dbm_adapter_data(dbm_connection *c) { return c->data; }
DBM__DEF void dbm_adapter_set_db_data(dbm_database *db, void *data) { db->data = data; }
DBM__DEF void *dbm_adapter_db_data(dbm_database *db) { return db->data; }
DBM__DEF void dbm_adapter_single(dbm_database *db) { db->single = true; }
DBM__DEF void dbm_adapter_readers_block(dbm_connection *c, bool readers_block) { c->readers_block = readers_block; }
DBM__DEF void *dbm_adapter_alloc(dbm_database *db, size_t size) { return dbm__alloc(db->host, size); }
DBM__DEF void *dbm_adapter_resize(dbm_database *db, void *block, size_t size) { return dbm__resize(db->host, block, size); }
DBM__DEF void dbm_adapter_free(dbm_database *db, void *block) { dbm__free(db->host, block); }
DBM__DEF int64_t dbm_adapter_clock(dbm_database *db) { return dbm__now(db->host); }

DBM__DEF dbm_tls dbm_adapter_tls(dbm_database *db, bool local) {
    dbm_tls tls = db->settings->config.tls;
    if (tls != DBM_TLS_DEFAULT) return tls;
    return local ? DBM_TLS_OFF : DBM_TLS_PREFER;
}

DBM__DEF void dbm_adapter_clear_text(dbm_connection *c) {
    if (dbm__swap(&c->db->clear_text, 1) != 0) return;
    dbm__event(c->db->host, DBM_EVENT_CLEAR_TEXT, DBM_LOG_WARNING, c->db->name, NULL, DBM_OK, 0,
               "the password of database %q crosses the network in clear: set tls = require or better, or tls = off if that is meant", c->db->name);
}

DBM__FN void dbm__credentials_drop(dbm_connection *c) {
    if (c->user != NULL) dbm__free(c->db->host, c->user);
    if (c->password != NULL) {
        dbm__wipe(c->password, strlen(c->password));
        dbm__free(c->db->host, c->password);
    }
    c->user = NULL;
    c->password = NULL;
}

DBM__DEF dbm_status dbm_adapter_credentials(dbm_connection *c, dbm_credentials *out) {
    dbm__settings *settings = c->db->settings;
    dbm_credentials got;
    dbm_status st;
    out->user = settings->url.user;
    out->password = settings->url.password;
    if (settings->config.credentials == NULL) return DBM_OK;
    got.user = NULL;
    got.password = NULL;
    st = settings->config.credentials(settings->config.credentials_ud, &got);
    if (st != DBM_OK) return dbm_adapter_fail(c, st, NULL, 0, "the credential callback of this database failed");
    dbm__credentials_drop(c);
    if (got.user != NULL && (c->user = dbm__copy_text(c->db->host, got.user, strlen(got.user))) == NULL) {
        return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
    }
    if (got.password != NULL) {
        c->password = dbm__copy_text(c->db->host, got.password, strlen(got.password));
        if (c->password == NULL) return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
        st = dbm__settings_add_secret(c->db->host, settings, got.password);
        if (st != DBM_OK) return st;
    }
    if (c->user != NULL) out->user = c->user;
    if (c->password != NULL) out->password = c->password;
    return DBM_OK;
}
/* --- end src/adapter/table.c --- */
/* --- begin src/adapter/run.c --- */
/* Running an operation: the one step loop of the synchronous side, the blocking entries, and what is emulated for an adapter.
 * May call: api/, base/, net/, config/.
 * Must not know: who asked for the operation. */

DBM__FN void dbm__op_init(dbm_op *op, dbm_op_kind kind, int64_t deadline_us) {
    memset(op, 0, sizeof *op);
    op->kind = kind;
    op->deadline_us = deadline_us;
    op->affected = -1;
    op->fd = -1;
    op->wake_us = INT64_MAX;
}

static dbm_stage dbm__stage_of(dbm_op_kind kind) {
    switch (kind) {
    case DBM_OP_CONNECT: case DBM_OP_PING: case DBM_OP_RESET: return DBM_STAGE_CONNECT;
    case DBM_OP_BEGIN: return DBM_STAGE_BEGIN;
    case DBM_OP_COMMIT: case DBM_OP_ROLLBACK: return DBM_STAGE_COMMIT;
    case DBM_OP_FETCH: case DBM_OP_HOLD: return DBM_STAGE_ROW;
    case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: case DBM_OP_PREPARE: case DBM_OP_UNPREPARE:
    case DBM_OP_EXECUTE: case DBM_OP_FINISH: case DBM_OP_SCRIPT: case DBM_OP_NATIVE: case DBM_OP_COMMAND: case DBM__OP_SIGNED: break;
    }
    return DBM_STAGE_STATEMENT;
}

DBM__FN dbm_status dbm__op_failed(dbm_connection *c, dbm_op_kind kind, dbm_status status) {
    dbm_error_info *e = &dbm__self()->last;
    if (status == DBM_E_LOST) c->broken = true;
    if (!c->reported || e->status != status) { /* the adapter gave a status without words; what stands there is of another failure */
        dbm__fail(status, dbm__stage_of(kind), c->db->name, NULL, "adapter %q: %s", c->db->adapter->type, dbm_status_text(status));
        if (status == DBM_E_LOST || status == DBM_E_SERIALIZATION || status == DBM_E_DEADLOCK) e->retryable = true;
    }
    c->reported = false;
    e->stage = dbm__stage_of(kind);
    if (e->database[0] == 0) dbm__copy_cut(e->database, sizeof e->database, c->db->name);
    return status;
}

/* What may be interrupted by a cancel: nothing that ends a transaction, or that nobody would miss. */
static bool dbm__cancellable(dbm_op_kind kind) {
    switch (kind) {
    case DBM_OP_PREPARE: case DBM_OP_EXECUTE: case DBM_OP_FETCH: case DBM_OP_HOLD: case DBM_OP_FINISH: case DBM_OP_SCRIPT: case DBM_OP_COMMAND:
        return true;
    case DBM_OP_CONNECT: case DBM_OP_BEGIN: case DBM_OP_COMMIT: case DBM_OP_ROLLBACK: case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE:
    case DBM_OP_ROLLBACK_TO: case DBM_OP_UNPREPARE: case DBM_OP_PING: case DBM_OP_RESET: case DBM_OP_NATIVE: case DBM__OP_SIGNED: break;
    }
    return false;
}

/* It can't go on: what is in flight can't be told from the next answer, so the connection is given up. */
static dbm_status dbm__steps_give_up(dbm_connection *c, dbm_op *op, dbm_status st, const char *why) {
    const dbm_adapter *a = c->db->adapter;
    c->broken = true;
    op->status = st;
    if (op->kind == DBM_OP_CONNECT && c->data != NULL) { /* half made: the adapter drops it as it drops any other */
        a->disconnect(c, DBM_DISCONNECT_BROKEN);
        c->data = NULL;
    }
    dbm__fail(st, dbm__stage_of(op->kind), c->db->name, NULL, "%s", why);
    dbm__self()->last.retryable = st == DBM_E_LOST;
    c->reported = true;
    return st;
}

/* The server ended the statement because it was told to, at the deadline; the connection is as good as before. */
static dbm_status dbm__steps_timed_out(dbm_connection *c, dbm_op *op) {
    dbm_error_info *e = &dbm__self()->last;
    char text[sizeof e->message];
    dbm__copy_cut(text, sizeof text, e->message);
    dbm__format(e->message, sizeof e->message, "the deadline passed, and the statement was cancelled%s%s", c->reported ? ": " : "", c->reported ? text : "");
    if (!c->reported) dbm__fail(DBM_E_TIMEOUT, dbm__stage_of(op->kind), c->db->name, NULL, "the deadline passed, and the statement was cancelled");
    e->status = op->status = DBM_E_TIMEOUT;
    e->retryable = false;
    c->reported = true;
    return DBM_E_TIMEOUT;
}

/* ---- the step loop ---------------------------------------------------------------------------------------------------
 *
 *     RUNNING --dbm_cancel--> STOPPED --a second--> given up
 *        +------deadline----> LATE ----a second--> given up        (COMMIT, CONNECT and their like: given up at once)
 *
 * Whoever drives it waits for what `want` says, and tells what came of that; the synchronous side below waits for one, dbm_init_all for
 * many. */
enum { DBM__RUNNING = 0, DBM__STOPPED, DBM__LATE };

static void dbm__running_stop(dbm__running *r, int phase) {
    r->phase = phase;
    r->limit_us = dbm__now(r->c->db->host) + 1000000;
    r->c->db->adapter->cancel(r->c);
}

static void dbm__running_step(dbm__running *r) {
    r->op->wake_us = r->quiet_us = INT64_MAX;
    r->want = r->c->db->adapter->step(r->c, r->op);
    if (r->want == DBM_STEP_DONE && DBM__UNLIKELY(r->phase == DBM__LATE) && r->op->status == DBM_E_CANCELLED) dbm__steps_timed_out(r->c, r->op);
}

static void dbm__running_give_up(dbm__running *r, dbm_status st, const char *why) {
    dbm__steps_give_up(r->c, r->op, st, why);
    r->want = DBM_STEP_DONE;
}

DBM__FN void dbm__running_start(dbm__running *r, dbm_connection *c, dbm_op *op) {
    r->c = c;
    r->op = op;
    r->phase = DBM__RUNNING;
    r->cancellable = c->db->adapter->cancel != NULL && dbm__cancellable(op->kind);
    r->limit_us = op->deadline_us;
    op->fd = -1;
    op->status = DBM_OK;
    c->db->adapter->start(c, op);
    dbm__running_step(r);
}

DBM__FN int64_t dbm__running_until(dbm__running *r) {
    dbm__host *host = r->c->db->host;
    int silence_ms = r->c->db->settings->config.socket_timeout_ms;
    int64_t until, soon;
    /* Once more from here: dbm_cancel may have come before there was anything to cancel. */
    if (DBM__UNLIKELY(r->phase == DBM__RUNNING && r->cancellable && dbm__load(&r->c->cancelled) != 0)) dbm__running_stop(r, DBM__STOPPED);
    until = r->op->wake_us < r->limit_us ? r->op->wake_us : r->limit_us;
    if (silence_ms > 0 && r->quiet_us == INT64_MAX) r->quiet_us = dbm__now(host) + (int64_t)silence_ms * 1000;
    if (r->quiet_us < until) until = r->quiet_us;
    if (r->cancellable && until != INT64_MAX && until > (soon = dbm__now(host) + 1000000)) until = soon; /* dbm_cancel is heard within a second */
    return until;
}

DBM__FN void dbm__running_heard(dbm__running *r, dbm_status heard) {
    if (heard == DBM_E_TIMEOUT) {
        int64_t now = dbm__now(r->c->db->host);
        if (now >= r->limit_us) {
            if (r->phase == DBM__RUNNING && r->cancellable) dbm__running_stop(r, DBM__LATE);
            else if (r->phase == DBM__STOPPED) dbm__running_give_up(r, DBM_E_CANCELLED, "the session was cancelled, and the server did not answer; the connection is closed");
            else dbm__running_give_up(r, DBM_E_TIMEOUT, "no answer before the deadline; the connection is closed");
            return;
        }
        if (now >= r->quiet_us) {
            dbm__running_give_up(r, DBM_E_TIMEOUT, "the server was silent for longer than socket_timeout; the connection is closed");
            return;
        }
        if (now < r->op->wake_us) return; /* nothing has come yet */
    } else if (heard != DBM_OK) {
        dbm__running_give_up(r, heard, heard == DBM_E_LOST ? "the connection was lost" : "this system can't wait for a socket");
        return;
    }
    dbm__running_step(r);
}

static dbm_status dbm__steps(dbm_connection *c, dbm_op *op) {
    dbm__host *host = c->db->host;
    dbm__running r;
    dbm__running_start(&r, c, op);
    while (r.want != DBM_STEP_DONE) {
        int64_t until = dbm__running_until(&r);
        dbm_status heard = DBM_E_TIMEOUT;
        if (r.want == DBM_STEP_TIMER || op->fd < 0) dbm__sleep_until(host, until);
        else heard = dbm__net_wait(host, op->fd, (int)r.want & 3, until);
        dbm__running_heard(&r, heard);
    }
    return op->status;
}

static dbm_status dbm__op_call(dbm_connection *c, dbm_op *op) {
    const dbm_adapter *a = c->db->adapter;
    if (a->start != NULL) return dbm__steps(c, op);
    if (op->kind == DBM_OP_CONNECT) return a->connect != NULL ? a->connect(c, op) : DBM_E_UNSUPPORTED;
    if (op->kind == DBM_OP_PING && a->ping != NULL) return a->ping(c, op);
    if (op->kind == DBM_OP_RESET && a->reset != NULL) return a->reset(c, op);
    if (op->kind == DBM_OP_FETCH && a->fetch != NULL) return a->fetch(c, op);
    return a->execute != NULL ? a->execute(c, op) : DBM_E_UNSUPPORTED;
}

/* The transaction's words as SQL, for adapters that only execute statements. */
static dbm_status dbm__as_sql(dbm_connection *c, dbm_op *op, const char *verb, int number) {
    char text[64];
    dbm__text t = dbm__text_in(text, sizeof text);
    dbm_prepared statement;
    dbm_op run;
    dbm_status st;
    dbm__put(&t, verb);
    if (number > 0) dbm__putf(&t, "dbm_%d", number);
    memset(&statement, 0, sizeof statement);
    statement.sql = text;
    statement.sql_size = t.size;
    statement.writes = true;
    dbm__op_init(&run, DBM_OP_EXECUTE, op->deadline_us);
    run.sql = text;
    run.sql_size = t.size;
    run.prepared = &statement;
    st = dbm__op_call(c, &run);
    if (run.result != NULL) {
        run.kind = DBM_OP_FINISH;
        dbm__op_call(c, &run);
    }
    return st;
}

static dbm_status dbm__emulate(dbm_connection *c, dbm_op *op) {
    dbm_status st;
    switch (op->kind) {
    case DBM_OP_BEGIN: return dbm__as_sql(c, op, "BEGIN", 0);
    case DBM_OP_COMMIT: return dbm__as_sql(c, op, "COMMIT", 0);
    case DBM_OP_ROLLBACK: return dbm__as_sql(c, op, "ROLLBACK", 0);
    case DBM_OP_SAVEPOINT: return dbm__as_sql(c, op, "SAVEPOINT ", op->savepoint);
    case DBM_OP_RELEASE: return dbm__as_sql(c, op, "RELEASE SAVEPOINT ", op->savepoint);
    case DBM_OP_ROLLBACK_TO:
        st = dbm__as_sql(c, op, "ROLLBACK TO SAVEPOINT ", op->savepoint);
        return st == DBM_OK ? dbm__as_sql(c, op, "RELEASE SAVEPOINT ", op->savepoint) : st;
    case DBM_OP_PREPARE: case DBM_OP_UNPREPARE: case DBM_OP_FINISH: return DBM_OK;
    case DBM_OP_PING:
        return c->db->adapter->alive != NULL ? c->db->adapter->alive(c) : DBM_OK;
    case DBM_OP_FETCH: return DBM_DONE;
    case DBM_OP_CONNECT: case DBM_OP_EXECUTE: case DBM_OP_HOLD: case DBM_OP_SCRIPT: case DBM_OP_RESET: case DBM_OP_NATIVE: case DBM_OP_COMMAND:
    case DBM__OP_SIGNED: break;
    }
    return DBM_E_UNSUPPORTED;
}

DBM__FN dbm_status dbm__op_run(dbm_connection *c, dbm_op *op) {
    c->reported = false;
    return dbm__op_end(c, op, dbm__op_call(c, op));
}

DBM__FN dbm_status dbm__op_end(dbm_connection *c, dbm_op *op, dbm_status st) {
    if (st == DBM_E_UNSUPPORTED && !c->reported) st = dbm__emulate(c, op);
    op->status = st;
    if (st == DBM_OK || st == DBM_DONE) return st;
    if (st == DBM_E_UNSUPPORTED && !c->reported && op->kind != DBM_OP_RESET && op->kind != DBM_OP_SCRIPT) {
        static const char *const names[] = { "connect", "begin", "commit", "roll back", "make savepoints", "release savepoints",
            "roll back to savepoints", "prepare", "unprepare", "execute statements", "fetch rows",
            "run a statement while the rows of another one are being read", "finish", "run scripts", "be pinged", "be reset", "hand out its native handle", "run commands of its own" };
        const char *what = (size_t)op->kind < sizeof names / sizeof names[0] ? names[op->kind] : "do this";
        dbm__fail(st, dbm__stage_of(op->kind), c->db->name, NULL, "an adapter of type %q can't %s", c->db->adapter->type, what);
        c->reported = true;
    }
    return dbm__op_failed(c, op->kind, st);
}

DBM__FN void dbm__connection_close(dbm_connection *c, dbm_disconnect how) {
    if (!c->open) return;
    c->open = false;
    if (c->db->adapter->disconnect != NULL) c->db->adapter->disconnect(c, how);
    c->data = NULL;
    dbm__credentials_drop(c);
}
/* --- end src/adapter/run.c --- */
/* --- begin src/pool/pool.h --- */
/* Pools: slots, checkout and return, waiting in order, upkeep, drain; the wait graph; and gates, where writers take turns.
 * May call: api/, base/, adapter/.
 * Must not know: what a session is. A slot is handed out with room for one behind it.
 *
 * A slot is in one of these states; its bit says which:
 *
 *     empty --connect--> (connecting) --ok--> out --give--> idle --take--> out
 *       ^                     |                |              |
 *       +-------fails---------+----broken------+---expired----+
 *
 * `idle` is a set of bits in words that are changed by compare-and-swap alone: the free set is the word, so there is no ABA. The top
 * bit of each word says that somebody waits: then takers queue and givers hand over under the lock, so no wake-up is lost and nobody
 * is overtaken. `empty` and all else is guarded by `lock`. No driver call and no hook runs under any lock. */
#ifndef DBM__POOL_H
#define DBM__POOL_H

#ifdef __cplusplus
extern "C" {
#endif

#define DBM__POOL_LIMIT 1000
#define DBM__WORD_SLOTS (DBM__WORD_BITS - 1)
#define DBM__WAIT_BIT ((dbm__word)1 << DBM__WORD_SLOTS)
#define DBM__POOL_WORDS 34               /* 1000 slots in words of 31 bits, and one to spare */
#define DBM__CONNECTS 2                  /* at once, of one pool */

typedef struct dbm__slot {
    struct dbm__pool *pool;
    dbm_connection connection;
    dbm__word bit;                       /* in its word of `idle` */
    int word, index;
    dbm__word gen;                       /* of the session that has it, raised at each begin and end; read by dbm_cancel */
    uint32_t fork_gen;                   /* sessions up to this gen were open when the process forked */
    dbm__word uses;
    dbm__word statements;                /* sent, for dbm_stats */
    dbm__word holder;                    /* thread number of a block session; 0: free, or held by one that may run anywhere */
    dbm__word site;                      /* const char *: who holds it */
    dbm__word since_ms;                  /* when it was first seen out, odd; 0: not looked at yet */
    bool leak_reported;
    bool reset_full;                     /* the session changed the connection itself: RESET before the next one */
#define DBM__UPKEEP_EVERY 256u           /* returns of a slot, of which one looks whether upkeep is due */
    int64_t expires_us;                  /* pool_recycle, jitter included */
    int64_t used_us;                     /* last return; 0 where the clock is not read for it: upkeep notes when it first sees it idle */
} dbm__slot;

enum { DBM__POOL_OPEN = 0, DBM__POOL_CLOSING = 1 };

typedef struct dbm__waiter {
    struct dbm__waiter *next, *previous;
    uint64_t ticket;
    void (*wake)(void *ud);              /* called under the lock: must only make the waiter look */
    void *ud;
    int got;                             /* DBM__GOT_... */
    dbm__slot *slot;
    dbm_status status;
} dbm__waiter;
enum { DBM__GOT_NOTHING = 0, DBM__GOT_IDLE, DBM__GOT_EMPTY, DBM__GOT_FAILURE };

typedef struct dbm__pool {
    dbm__word idle[DBM__POOL_WORDS];
    int words, slot_count, size;
    size_t slot_size;
    char *slots;
    dbm_database *db;
    dbm__word slow;                      /* returns take the lock: overflow is open, or it is closing */
    bool check;                          /* connections are looked at when taken: sockets, or an adapter with .alive */
    bool full_reset;                     /* pool_reset_on_return = full */
    dbm__word fork;                      /* the fork epoch that this pool lives in */
    dbm__word suspect_ms;                /* connections last used before then are pinged: one of their kind was found dead */
    dbm__word shared_dead;               /* the shared connection must be replaced */

    dbm__lock lock;                      /* guards all below, and changes of a slot's state */
    dbm__word empty[DBM__POOL_WORDS];
    dbm__waiter *first, *last;
    uint64_t tickets;
    int waiting, connecting, open, max_connecting;
    int leaks_out;                       /* slots out whose leak was reported */
    int state;
    bool orphaned;                       /* dbm_manager_free has been called */
    dbm__signal drained;
    /* down: no connection lives and the last connect failed */
    bool down;
    int failures;
    int64_t retry_us;                    /* no connect before then */
    dbm_error_info cause;
    dbm_connection shared;               /* DBM_ADAPTER_SHARED: the one behind all slots */
    int shared_users;
    bool shared_busy;                    /* it is being opened or closed */
    uint32_t mark;                       /* of the wait graph's walk, guarded by its lock */
    dbm_stats_info stats;                /* counters that change on slow paths */
    dbm__word stale_handles, left_early, retries, in_doubt; /* and those that sessions count, by atomics */
} dbm__pool;

/* A queue of writers, keyed by a text, shared by the databases of a manager. Barging is bounded: a waiter is overtaken 64 times, or for
 * 5 ms, at the most; then the gate is handed to it. */
typedef struct dbm__gate {
    struct dbm__gate *next;
    char *key;
    dbm__word word;                      /* bit 0: taken; bit 1: somebody waits */
    dbm__word holder;                    /* as dbm__slot.holder */
    dbm__word site;
    dbm__lock lock;
    struct dbm__gate_waiter *first, *last;
    uint64_t barges;
    uint32_t mark;
} dbm__gate;

/* What the databases of one manager share. */
typedef struct dbm__blocked {
    struct dbm__blocked *next;
    dbm__word thread;
    dbm__pool *pool;
    dbm__gate *gate;
    const char *site;
} dbm__blocked;
typedef struct dbm__shared {
    dbm__host host;
    dbm__lock graph_lock;                /* guards blocked, marks and the list of gates */
    dbm__blocked *blocked;
    uint32_t marks;
    dbm__gate *gates;
    int64_t grace_us;
    dbm__word orphans;                   /* sessions still out after the manager went; the last one frees everything */
    dbm__word fork;                      /* the fork epoch that locks, graph and gates live in */
    void (*free_all)(struct dbm__shared *shared);
    void *owner;
} dbm__shared;

/* In place, in memory of the host, which is taken over as it is; its end leaves the host. */
DBM__FN dbm_status dbm__shared_init(dbm__shared *shared, const dbm__host *host, const dbm_options *options);
DBM__FN void dbm__shared_free(dbm__shared *shared);
/* In a child process: nobody waits and no gate is taken, whatever the parent's threads were doing. */
DBM__FN void dbm__shared_after_fork(dbm__shared *shared);

/* ---- the wait graph ---- */
/* Says that this thread is about to wait for a pool or a gate. When every holder of it waits, directly or through others, only for holders
 * that wait too, it is not entered: E_WOULD_DEADLOCK, with the call sites. */
DBM__FN dbm_status dbm__graph_enter(dbm_database *db, dbm__blocked *b, dbm__pool *pool, dbm__gate *gate, const char *site);
DBM__FN void dbm__graph_leave(dbm_database *db, dbm__blocked *b);

/* ---- gates ---- */
DBM__FN dbm__gate *dbm__gate_of(dbm__shared *shared, const char *key); /* makes it on first use; NULL: no memory */
/* `patient` false: does not wait (a reader that would block the writer's commit): then E_SERIALIZATION. */
DBM__FN dbm_status dbm__gate_enter(dbm_database *db, dbm__gate *gate, dbm__word holder, int64_t deadline_us, bool patient, const dbm__word *stop,
                                   const char *site);
/* Every waiter looks at its `stop` again. */
DBM__FN void dbm__gate_wake(dbm__gate *gate);
DBM__FN void dbm__gate_leave(dbm_database *db, dbm__gate *gate);

/* ---- pools ---- */
DBM__FN dbm_status dbm__pool_make(dbm_database *db, size_t slot_size);
DBM__FN void dbm__pool_free(dbm__pool *pool);
DBM__INLINE dbm__slot *dbm__pool_slot(const dbm__pool *pool, int i) { return (dbm__slot *)(void *)(pool->slots + (size_t)i * pool->slot_size); }

/* A slot with a live connection (dbm__pool_take, below), waiting for one until the pool's own time-out (then E_POOL_TIMEOUT) or the
 * session's deadline (E_TIMEOUT), whichever is earlier. holder: see dbm__slot. */
DBM__FN dbm_status dbm__pool_take_slow(dbm_database *db, int64_t session_deadline_us, dbm__word holder, const char *site, dbm__slot **out);
DBM__FN void dbm__pool_give_slow(dbm__slot *slot);
/* Closes a slot's connection and makes another in its place; for a connection found dead before anything was sent on it. */
DBM__FN dbm_status dbm__pool_reconnect(dbm__slot *slot, int64_t deadline_us);
/* Opening ahead of need: a slot to connect, when fewer than `idle_wanted` are idle and a connect is allowed now, else NULL; then what came of it:
 * the connection is idle, or the failure (this thread's last) counts like any other. */
DBM__FN dbm__slot *dbm__pool_open_begin(dbm__pool *pool, int idle_wanted);
DBM__FN void dbm__pool_open_end(dbm__slot *slot, dbm_status st);
/* The same without blocking, where the adapter can: false when it can't, or no connect is allowed now. Its end is for when running.want is
 * DBM_STEP_DONE; init_sql, which comes then, is waited for. */
typedef struct dbm__opening {
    dbm__slot *slot;
    int64_t began_us;
    dbm_op op;
    dbm__running running;
} dbm__opening;
DBM__FN bool dbm__opening_start(dbm__opening *o, dbm__pool *pool);
DBM__FN dbm_status dbm__opening_end(dbm__opening *o);
/* In a child process: forgets what is the parent's. */
DBM__FN void dbm__pool_after_fork(dbm__pool *pool);
/* One due piece of upkeep, or all. */
DBM__FN void dbm__pool_upkeep(dbm__pool *pool, bool all);
/* No new checkouts; waiters fail with E_CLOSED; idle connections are closed. */
DBM__FN void dbm__pool_close(dbm__pool *pool);
/* Waits until no session is out, or until the time. Sessions of this thread's own blocks are not waited for. Returns how many are out. */
DBM__FN int dbm__pool_drain(dbm__pool *pool, int64_t until_us);
DBM__FN int dbm__pool_out(dbm__pool *pool);
/* The manager goes: sessions that are still out are counted into shared->orphans, each to be taken off at its return. */
DBM__FN void dbm__pool_orphan(dbm__pool *pool);
DBM__FN void dbm__pool_stats(dbm__pool *pool, dbm_stats_info *out);
/* "app.c:12 for at least 3 s, app.c:40": who holds connections. */
DBM__FN void dbm__pool_holders(dbm__pool *pool, dbm__text *out);
/* A connection of this pool died under a session: others of the same age are suspect. */
DBM__FN void dbm__pool_suspect(dbm__pool *pool);

/* ---- between the files of this room ---- */
DBM__FN dbm_status dbm__slot_connect(dbm__slot *slot, int64_t deadline_us);
DBM__FN void dbm__slot_retire(dbm__slot *slot);
DBM__FN void dbm__slot_to_empty(dbm__slot *slot);
DBM__FN void dbm__pool_set_idle(dbm__slot *slot);
DBM__FN void dbm__pool_set_slow(dbm__pool *pool);
DBM__FN dbm__slot *dbm__pool_pick_empty(dbm__pool *pool);
DBM__FN void dbm__pool_dispatch(dbm__pool *pool, int64_t now);
DBM__FN bool dbm__fork_claim(dbm__word *fork);
DBM__FN bool dbm__pool_connected(dbm__pool *pool);
DBM__FN bool dbm__pool_connect_failed(dbm__pool *pool, const dbm_error_info *e, int64_t now, bool *went_down);

/* The slot alone: lock-free, or NULL when somebody waits or none is idle. */
DBM__INLINE dbm__slot *dbm__pool_try(dbm__pool *pool, int w) {
    dbm__word o = dbm__load(&pool->idle[w]);
    while (DBM__LIKELY(o != 0 && !(o & DBM__WAIT_BIT))) {
        int i = dbm__lowest_bit(o);
        if (DBM__LIKELY(dbm__cas(&pool->idle[w], &o, o & ~((dbm__word)1 << i)))) return dbm__pool_slot(pool, w * DBM__WORD_SLOTS + i);
    }
    return NULL;
}

/* Checkout: from the first word of the set when nothing is special about the pool, else the long way. */
DBM__INLINE dbm_status dbm__pool_take(dbm_database *db, int64_t session_deadline_us, dbm__word holder, const char *site, dbm__slot **out) {
    dbm__pool *pool = db->pool;
    dbm__slot *slot;
    if (DBM__LIKELY(!pool->check && dbm__load(&pool->fork) == dbm__fork_epoch() && (slot = dbm__pool_try(pool, 0)) != NULL)) {
        dbm__store(&slot->uses, slot->uses + 1u);
        dbm__store(&slot->since_ms, 0);
        dbm__store(&slot->site, (dbm__word)site);
        dbm__store(&slot->holder, holder);
        *out = slot;
        return DBM_OK;
    }
    return dbm__pool_take_slow(db, session_deadline_us, holder, site, out);
}

/* Back into the set; false when that needs the lock. */
DBM__INLINE bool dbm__pool_put(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    dbm__word *word = &pool->idle[slot->word], o;
    if (DBM__UNLIKELY(dbm__load(&pool->slow) != 0)) return false;
    o = dbm__load(word);
    do {
        if (DBM__UNLIKELY(o & DBM__WAIT_BIT)) return false;
    } while (DBM__UNLIKELY(!dbm__cas(word, &o, o | slot->bit)));
    return true;
}

DBM__INLINE void dbm__pool_give(dbm__slot *slot) {
    dbm__store(&slot->holder, 0);
    dbm__store(&slot->site, 0);
    slot->used_us = 0;
    if (DBM__UNLIKELY(slot->connection.broken || slot->reset_full || (slot->uses & (DBM__UPKEEP_EVERY - 1u)) == 0 || slot->pool->check
                      || !dbm__pool_put(slot))) {
        dbm__pool_give_slow(slot);
    }
}

#ifdef __cplusplus
}
#endif
#endif /* DBM__POOL_H */
/* --- end src/pool/pool.h --- */
/* --- begin src/pool/graph.c --- */
/* The wait graph: who waits for what, and whether that can ever end; and the struct that the databases of a manager share.
 * May call: api/, base/, pool.h.
 * Must not know: why anybody waits.
 *
 * A pool is stuck when every slot of it is held by a thread that waits for something stuck; a gate when its holder does. Since all
 * holders must be stuck, the question is whether a running holder can be reached from the resource: one walk, each pool and gate
 * once. The last one to wait sees all the others, because each enters under the lock before it waits. */

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
/* --- end src/pool/graph.c --- */
/* --- begin src/pool/gate.c --- */
/* Gates: one writer at a time per key, in a queue with bounded barging.
 * May call: api/, base/, pool.h.
 * Must not know: what is written.
 *
 * The word is free (0), taken (1), free with waiters (2) or taken with waiters (3). Without waiters it is one compare-and-swap to enter and
 * one to leave. With waiters, entering and leaving go through the lock; a newcomer may still take a free gate before the head of the
 * queue (that keeps the processor busy while the head wakes up), until the head has been overtaken 64 times or waited 5 ms:
 * then whoever leaves hands the gate over without freeing it. */

enum { DBM__GATE_TAKEN = 1, DBM__GATE_WAITED = 2, DBM__GATE_BARGES = 64, DBM__GATE_PATIENCE_US = 5000 };

typedef struct dbm__gate_waiter {
    struct dbm__gate_waiter *next, *previous;
    dbm__signal signal;
    uint64_t barges;  /* of the gate when it came */
    int64_t since_us;
    bool granted;
} dbm__gate_waiter;

DBM__FN dbm__gate *dbm__gate_of(dbm__shared *shared, const char *key) {
    dbm__gate *gate;
    dbm__lock_take(&shared->graph_lock);
    for (gate = shared->gates; gate != NULL && strcmp(gate->key, key) != 0; gate = gate->next) {}
    if (gate == NULL) {
        gate = (dbm__gate *)dbm__alloc_zero(&shared->host, sizeof *gate);
        if (gate != NULL) {
            gate->key = dbm__copy_text(&shared->host, key, strlen(key));
            if (gate->key == NULL || !dbm__lock_init(&gate->lock)) {
                dbm__free(&shared->host, gate->key);
                dbm__free(&shared->host, gate);
                gate = NULL;
            } else {
                gate->next = shared->gates;
                shared->gates = gate;
            }
        }
    }
    dbm__lock_give(&shared->graph_lock);
    return gate;
}

static void dbm__gate_held(dbm__gate *gate, dbm__word holder, const char *site) {
    dbm__store(&gate->site, (dbm__word)site);
    dbm__store(&gate->holder, holder);
}

static bool dbm__gate_starved(const dbm__gate *gate, const dbm__gate_waiter *w, int64_t now) {
    return gate->barges - w->barges >= DBM__GATE_BARGES || now - w->since_us >= DBM__GATE_PATIENCE_US;
}

static void dbm__gate_unlink(dbm__gate *gate, dbm__gate_waiter *w) {
    if (w->previous != NULL) w->previous->next = w->next; else gate->first = w->next;
    if (w->next != NULL) w->next->previous = w->previous; else gate->last = w->previous;
}

DBM__FN dbm_status dbm__gate_enter(dbm_database *db, dbm__gate *gate, dbm__word holder, int64_t deadline_us, bool patient, const dbm__word *stop,
                                   const char *site) {
    dbm__word o = 0;
#if DBM__THREADS
    dbm__gate_waiter w;
    dbm__blocked blocked;
    dbm_status st;
    int64_t now;
#endif
    if (dbm__cas(&gate->word, &o, DBM__GATE_TAKEN)) {
        dbm__gate_held(gate, holder, site);
        return DBM_OK;
    }
    if (!patient) {
        dbm__fail(DBM_E_SERIALIZATION, DBM_STAGE_STATEMENT, db->name, site,
                  "database %q: another session is writing (taken at %s), and this one has already read: waiting would block its commit; "
                  "run the transaction again, or begin it with .write = 1", db->name,
                  dbm__load(&gate->site) != 0 ? (const char *)dbm__load(&gate->site) : "?");
        dbm__self()->last.retryable = true;
        return DBM_E_SERIALIZATION;
    }
#if !DBM__THREADS
    (void)deadline_us;
    (void)stop;
    return dbm__fail(DBM_E_WOULD_DEADLOCK, DBM_STAGE_STATEMENT, db->name, site,
                     "database %q: another session of this thread is writing (taken at %s) and there are no other threads; end it first",
                     db->name, dbm__load(&gate->site) != 0 ? (const char *)dbm__load(&gate->site) : "?");
#else
    st = dbm__graph_enter(db, &blocked, NULL, gate, site);
    if (st != DBM_OK) return st;
    now = dbm__now(db->host);
    memset(&w, 0, sizeof w);
    if (!dbm__signal_init(&w.signal)) {
        dbm__graph_leave(db, &blocked);
        return dbm__no_memory(DBM_STAGE_STATEMENT, db->name, site);
    }
    dbm__lock_take(&gate->lock);
    /* Barge when it is free and the head can bear it; else queue. */
    for (;;) {
        o = dbm__load(&gate->word);
        if (!(o & DBM__GATE_TAKEN) && (gate->first == NULL || !dbm__gate_starved(gate, gate->first, now))) {
            if (dbm__cas(&gate->word, &o, o | DBM__GATE_TAKEN)) {
                if (gate->first != NULL) gate->barges++;
                w.granted = true;
                break;
            }
        } else if (dbm__cas(&gate->word, &o, o | DBM__GATE_WAITED)) {
            break;
        }
    }
    if (!w.granted) {
        w.barges = gate->barges;
        w.since_us = now;
        w.previous = gate->last;
        if (gate->last != NULL) gate->last->next = &w; else gate->first = &w;
        gate->last = &w;
        for (;;) {
            if (w.granted) break;
            o = dbm__load(&gate->word);
            if (gate->first == &w && !(o & DBM__GATE_TAKEN) && dbm__cas(&gate->word, &o, o | DBM__GATE_TAKEN)) {
                dbm__gate_unlink(gate, &w);
                w.granted = true;
                break;
            }
            if (stop != NULL && dbm__load(stop) != 0) st = DBM_E_CANCELLED;
            else if (dbm__now(db->host) >= deadline_us) st = DBM_E_TIMEOUT;
            if (st != DBM_OK) {
                dbm__gate_unlink(gate, &w);
                break;
            }
            dbm__wait_until(db->host, &w.signal, &gate->lock, deadline_us);
        }
        if (gate->first == NULL) {
            o = dbm__load(&gate->word);
            while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_WAITED)) {}
        } else if (st != DBM_OK && !(dbm__load(&gate->word) & DBM__GATE_TAKEN)) {
            dbm__signal_one(&gate->first->signal); /* the wake-up was ours and we leave without using it */
        }
    }
    dbm__lock_give(&gate->lock);
    dbm__signal_free(&w.signal);
    dbm__graph_leave(db, &blocked); /* before it is the holder: one who waits for what it holds is a deadlock to whoever looks */
    if (w.granted) dbm__gate_held(gate, holder, site);
    if (st == DBM_E_CANCELLED) {
        dbm__fail(st, DBM_STAGE_STATEMENT, db->name, site, "cancelled by dbm_cancel while waiting for its turn to write");
    } else if (st != DBM_OK) {
        dbm__fail(st, DBM_STAGE_STATEMENT, db->name, site,
                  "database %q: no turn to write within %m: another session has been writing since (taken at %s)", db->name,
                  dbm__now(db->host) - now, dbm__load(&gate->site) != 0 ? (const char *)dbm__load(&gate->site) : "?");
        dbm__self()->last.retryable = true;
    }
    return st;
#endif
}

DBM__FN void dbm__gate_wake(dbm__gate *gate) {
    dbm__gate_waiter *w;
    dbm__lock_take(&gate->lock);
    for (w = gate->first; w != NULL; w = w->next) dbm__signal_one(&w->signal);
    dbm__lock_give(&gate->lock);
}

DBM__FN void dbm__gate_leave(dbm_database *db, dbm__gate *gate) {
    dbm__word o = DBM__GATE_TAKEN;
    dbm__store(&gate->holder, 0);
    if (dbm__cas(&gate->word, &o, 0)) return;
    dbm__lock_take(&gate->lock);
    if (gate->first != NULL && dbm__gate_starved(gate, gate->first, dbm__now(db->host))) {
        dbm__gate_waiter *w = gate->first; /* handed over: the gate stays taken */
        dbm__gate_unlink(gate, w);
        w->granted = true;
        if (gate->first == NULL) {
            o = dbm__load(&gate->word);
            while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_WAITED)) {}
        }
        dbm__signal_one(&w->signal);
    } else {
        o = dbm__load(&gate->word);
        while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_TAKEN)) {}
        if (gate->first != NULL) dbm__signal_one(&gate->first->signal);
    }
    dbm__lock_give(&gate->lock);
}
/* --- end src/pool/gate.c --- */
/* --- begin src/pool/pool.c --- */
/* Checkout and return beyond the fast path: the queue, connects, failures, drain.
 * May call: api/, base/, adapter/, pool.h.
 * Must not know: sessions, SQL. */

/* ---- making and freeing --------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__pool_make(dbm_database *db, size_t slot_size) {
    const dbm_config *config = &db->settings->config;
    dbm__pool *pool;
    int i, count = db->single ? 1 : config->pool.size + config->pool.max_overflow;
    if (count > DBM__POOL_LIMIT) count = DBM__POOL_LIMIT;
    pool = (dbm__pool *)dbm__alloc_zero(db->host, sizeof *pool);
    if (pool == NULL) return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    slot_size = (slot_size + 63u) & ~(size_t)63u;
    pool->slots = (char *)dbm__alloc_zero(db->host, slot_size * (size_t)count);
    if (pool->slots == NULL) {
        dbm__free(db->host, pool);
        return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    }
    if (!dbm__lock_init(&pool->lock) || !dbm__signal_init(&pool->drained)) {
        dbm__free(db->host, pool->slots);
        dbm__free(db->host, pool);
        return dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
    }
    pool->db = db;
    pool->slot_size = slot_size;
    pool->slot_count = count;
    pool->size = db->single ? 1 : config->pool.size;
    pool->words = (count + DBM__WORD_SLOTS - 1) / DBM__WORD_SLOTS;
    pool->fork = dbm__fork_epoch();
    pool->max_connecting = db->adapter->flags & DBM_ADAPTER_SHARED ? 1 : DBM__CONNECTS;
    pool->full_reset = config->pool.reset_on_return == DBM_RESET_FULL;
    pool->check = pool->full_reset || (db->adapter->flags & DBM_ADAPTER_SOCKET) != 0 || db->adapter->alive != NULL
        || (db->adapter->flags & DBM_ADAPTER_SHARED) != 0 || config->pool.pre_ping == DBM_PRE_PING_ALWAYS || (config->pool.recycle_ms > 0 && !(db->adapter->flags & DBM_ADAPTER_NO_RECYCLE));
    for (i = 0; i < count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        slot->pool = pool;
        slot->index = i;
        slot->word = i / DBM__WORD_SLOTS;
        slot->bit = (dbm__word)1 << (i % DBM__WORD_SLOTS);
        slot->connection.db = db;
        pool->empty[slot->word] |= slot->bit;
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
    dbm__free(host, pool->slots);
    dbm__free(host, pool);
}

/* ---- connections ---------------------------------------------------------------------------------------------------- */

static bool dbm__pool_shared(const dbm__pool *pool) { return (pool->db->adapter->flags & DBM_ADAPTER_SHARED) != 0; }

/* Closes the shared connection when nobody uses it and it broke, or the pool closes. One at a time works on it: shared_busy. */
static void dbm__shared_close(dbm__pool *pool, dbm_disconnect how) {
    bool mine;
    dbm__lock_take(&pool->lock);
    mine = pool->shared.open && pool->shared_users == 0 && !pool->shared_busy && (dbm__load(&pool->shared_dead) != 0 || pool->state != DBM__POOL_OPEN);
    if (mine) pool->shared_busy = true;
    dbm__lock_give(&pool->lock);
    if (!mine) return;
    dbm__connection_close(&pool->shared, how);
    dbm__lock_take(&pool->lock);
    dbm__store(&pool->shared_dead, 0);
    pool->shared_busy = false;
    dbm__signal_all(&pool->drained);
    dbm__lock_give(&pool->lock);
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
    dbm__lock_give(&pool->lock);
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
    dbm__lock_give(&pool->lock);
}

/* Ends a slot's connection. No lock is held. */
static void dbm__slot_disconnect(dbm__slot *slot, dbm_disconnect how) {
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
        dbm__lock_give(&pool->lock);
        dbm__shared_close(pool, how);
    } else {
        dbm__connection_close(c, how);
    }
    c->broken = false;
    c->readers_block = false;
    dbm__event(pool->db->host, DBM_EVENT_DISCONNECTED, DBM_LOG_DEBUG, pool->db->name, NULL, DBM_OK, 0, "a connection was closed");
}

/* After a connect of any kind: what a new connection needs, or what is said of one that failed. */
static dbm_status dbm__slot_connected(dbm__slot *slot, dbm_status st, int64_t began, int64_t limit) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    const dbm_config *config = &db->settings->config;
    dbm_connection *c = &slot->connection;
    if (st == DBM_OK) {
        c->open = true;
        c->connecting = true;
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

/* One physical connect. No lock is held; the slot is ours. */
DBM__FN dbm_status dbm__slot_connect(dbm__slot *slot, int64_t deadline_us) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    dbm_connection *c = &slot->connection, *physical = dbm__pool_shared(pool) ? &pool->shared : c;
    int64_t began = dbm__now(db->host), limit = began + (int64_t)db->settings->config.connect_timeout_ms * 1000;
    bool connect = true;
    dbm_status st = DBM_OK;
    dbm_op op;
    if (limit > deadline_us) limit = deadline_us;
    if (physical != c) st = dbm__shared_join(pool, limit, &connect);
    if (st == DBM_OK && connect) {
        dbm__op_init(&op, DBM_OP_CONNECT, limit);
        physical->broken = false;
        physical->connecting = true;
        st = dbm__op_run(physical, &op);
        physical->connecting = false;
        dbm__credentials_drop(physical);
        if (physical != c) dbm__shared_joined(pool, st == DBM_OK);
    }
    if (st == DBM_OK && physical != c) {
        c->data = physical->data;
        c->broken = false;
    }
    return dbm__slot_connected(slot, st, began, limit);
}

/* ---- opening ahead of need ---------------------------------------------------------------------------------------------- */

DBM__FN dbm__slot *dbm__pool_open_begin(dbm__pool *pool, int idle_wanted) {
    dbm__slot *slot = NULL;
    int64_t now = dbm__now(pool->db->host);
    int w, idle = 0;
    dbm__lock_take(&pool->lock);
    for (w = 0; w < pool->words; w++) {
        dbm__word v = dbm__load(&pool->idle[w]) & ~DBM__WAIT_BIT;
        while (v != 0) { v &= v - 1u; idle++; }
    }
    if (pool->state == DBM__POOL_OPEN && idle < idle_wanted && pool->open + pool->connecting < pool->size
        && pool->connecting < pool->max_connecting && now >= pool->retry_us) {
        slot = dbm__pool_pick_empty(pool);
    }
    if (slot != NULL) pool->connecting++;
    dbm__lock_give(&pool->lock);
    return slot;
}

DBM__FN void dbm__pool_open_end(dbm__slot *slot, dbm_status st) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    bool went_down = false, came_up = false, closing = false;
    dbm__lock_take(&pool->lock);
    pool->connecting--;
    if (st == DBM_OK) {
        came_up = dbm__pool_connected(pool);
        closing = pool->state != DBM__POOL_OPEN;
        if (!closing) dbm__pool_set_idle(slot);
    } else {
        dbm__slot_to_empty(slot);
        dbm__pool_connect_failed(pool, &dbm__self()->last, dbm__now(db->host), &went_down);
        dbm__pool_set_slow(pool);
    }
    dbm__pool_dispatch(pool, dbm__now(db->host));
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    dbm__lock_give(&pool->lock);
    if (closing) dbm__slot_retire(slot);
    if (went_down) dbm__event(db->host, DBM_EVENT_DOWN, DBM_LOG_WARNING, db->name, NULL, st, 0, "%s", dbm__self()->last.message);
    if (came_up) dbm__event(db->host, DBM_EVENT_UP, DBM_LOG_INFO, db->name, NULL, DBM_OK, 0, "database %q answers again", db->name);
}

DBM__FN bool dbm__opening_start(dbm__opening *o, dbm__pool *pool) {
    dbm_database *db = pool->db;
    dbm_connection *c;
    if (db->adapter->start == NULL || dbm__pool_shared(pool)) return false;
    o->slot = dbm__pool_open_begin(pool, 1);
    if (o->slot == NULL) return false;
    c = &o->slot->connection;
    o->began_us = dbm__now(db->host);
    dbm__op_init(&o->op, DBM_OP_CONNECT, o->began_us + (int64_t)db->settings->config.connect_timeout_ms * 1000);
    c->broken = c->reported = false;
    c->connecting = true;
    dbm__running_start(&o->running, c, &o->op);
    return true;
}

DBM__FN dbm_status dbm__opening_end(dbm__opening *o) {
    dbm_connection *c = &o->slot->connection;
    dbm_status st = dbm__op_end(c, &o->op, o->op.status);
    c->connecting = false;
    dbm__credentials_drop(c);
    st = dbm__slot_connected(o->slot, st, o->began_us, o->op.deadline_us);
    dbm__pool_open_end(o->slot, st);
    return st;
}

/* ---- the queue; the lock is held -------------------------------------------------------------------------------------- */

static void dbm__pool_wait_bits(dbm__pool *pool, bool on) {
    int w;
    for (w = 0; w < pool->words; w++) {
        dbm__word o = dbm__load(&pool->idle[w]);
        while (!dbm__cas(&pool->idle[w], &o, on ? o | DBM__WAIT_BIT : o & ~DBM__WAIT_BIT)) {}
    }
}

static dbm__slot *dbm__pool_pick_idle(dbm__pool *pool) {
    int w;
    for (w = 0; w < pool->words; w++) {
        dbm__word o = dbm__load(&pool->idle[w]);
        while ((o & ~DBM__WAIT_BIT) != 0) {
            int i = dbm__lowest_bit(o & ~DBM__WAIT_BIT);
            if (dbm__cas(&pool->idle[w], &o, o & ~((dbm__word)1 << i))) return dbm__pool_slot(pool, w * DBM__WORD_SLOTS + i);
        }
    }
    return NULL;
}

DBM__FN dbm__slot *dbm__pool_pick_empty(dbm__pool *pool) {
    int w;
    for (w = 0; w < pool->words; w++) {
        if (pool->empty[w] != 0) {
            int i = dbm__lowest_bit(pool->empty[w]);
            pool->empty[w] &= ~((dbm__word)1 << i);
            return dbm__pool_slot(pool, w * DBM__WORD_SLOTS + i);
        }
    }
    return NULL;
}

DBM__FN void dbm__pool_set_idle(dbm__slot *slot) {
    dbm__word *word = &slot->pool->idle[slot->word], o = dbm__load(word);
    while (!dbm__cas(word, &o, o | slot->bit)) {}
}

DBM__FN void dbm__pool_set_slow(dbm__pool *pool) {
    dbm__store(&pool->slow, pool->state != DBM__POOL_OPEN || pool->open > pool->size || pool->leaks_out != 0 ? 1 : 0);
}

static void dbm__waiter_unlink(dbm__pool *pool, dbm__waiter *w) {
    if (w->previous != NULL) w->previous->next = w->next; else pool->first = w->next;
    if (w->next != NULL) w->next->previous = w->previous; else pool->last = w->previous;
    w->next = w->previous = NULL;
    pool->waiting--;
}

/* By ticket: one that comes back after a failed connect keeps its place. */
static void dbm__waiter_link(dbm__pool *pool, dbm__waiter *w) {
    dbm__waiter *after = pool->last;
    while (after != NULL && after->ticket > w->ticket) after = after->previous;
    w->previous = after;
    w->next = after != NULL ? after->next : pool->first;
    if (w->next != NULL) w->next->previous = w; else pool->last = w;
    if (after != NULL) after->next = w; else pool->first = w;
    w->got = DBM__GOT_NOTHING;
    pool->waiting++;
}

static void dbm__waiter_get(dbm__pool *pool, dbm__waiter *w, int got, dbm__slot *slot, dbm_status status) {
    dbm__waiter_unlink(pool, w);
    w->got = got;
    w->slot = slot;
    w->status = status;
    w->wake(w->ud);
}

/* Serves the queue in order with what there is. The wait bits are set before the idle set is looked at for the last time, so a
 * connection that comes back meanwhile is either seen here or comes through the lock. */
DBM__FN void dbm__pool_dispatch(dbm__pool *pool, int64_t now) {
    dbm__slot *slot;
    if (pool->first != NULL) dbm__pool_wait_bits(pool, true);
    while (pool->first != NULL) {
        if (pool->state != DBM__POOL_OPEN) {
            dbm__waiter_get(pool, pool->first, DBM__GOT_FAILURE, NULL, DBM_E_CLOSED);
        } else if ((slot = dbm__pool_pick_idle(pool)) != NULL) {
            dbm__waiter_get(pool, pool->first, DBM__GOT_IDLE, slot, DBM_OK);
        } else if (pool->connecting < pool->max_connecting && now >= pool->retry_us && (slot = dbm__pool_pick_empty(pool)) != NULL) {
            pool->connecting++;
            dbm__waiter_get(pool, pool->first, DBM__GOT_EMPTY, slot, DBM_OK);
        } else {
            /* The first in line sleeps until the pause after a failed connect is over; it may have become the first just now. */
            if (now < pool->retry_us) pool->first->wake(pool->first->ud);
            return;
        }
    }
    dbm__pool_wait_bits(pool, pool->state != DBM__POOL_OPEN); /* a pool that closes lets nothing past the lock any more */
}

/* A failure that another try can't cure: everybody who waits hears of it at once. */
static bool dbm__connect_fatal(const dbm_error_info *e) {
    if (e->retryable) return false;
    return e->status == DBM_E_AUTH || e->status == DBM_E_TLS || e->status == DBM_E_CONFIG || e->status == DBM_E_UNKNOWN_NAME
        || e->status == DBM_E_UNSUPPORTED || e->status == DBM_E_MISUSE || e->status == DBM_E_NOT_COMPILED || e->status == DBM_E_SQL;
}

static void dbm__pool_fail_waiters(dbm__pool *pool, dbm_status status) {
    while (pool->first != NULL) dbm__waiter_get(pool, pool->first, DBM__GOT_FAILURE, NULL, status);
    dbm__pool_wait_bits(pool, pool->state != DBM__POOL_OPEN);
}

DBM__FN void dbm__slot_to_empty(dbm__slot *slot) { slot->pool->empty[slot->word] |= slot->bit; }

/* ---- checkout --------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__pool_holders(dbm__pool *pool, dbm__text *out) {
    int64_t now_ms = dbm__now(pool->db->host) / 1000;
    int i, shown = 0, more = 0;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        const char *site = (const char *)dbm__load(&slot->site);
        dbm__word since;
        if (site == NULL) continue;
        if (shown == 8) { more++; continue; }
        since = dbm__load(&slot->since_ms);
        dbm__putf(out, "%s%s", shown != 0 ? ", " : "", site);
        if (since != 0) dbm__putf(out, " for at least %m", (int64_t)((dbm__word)now_ms - since) * 1000 < 0 ? (int64_t)0 : (int64_t)((dbm__word)now_ms - since) * 1000);
        shown++;
    }
    if (more != 0) dbm__putf(out, " and %d more", more);
}

#if DBM__THREADS
/* Notes when slots were first seen out, so that "for at least" is true without a clock read at each checkout. */
static void dbm__pool_look(dbm__pool *pool, int64_t now) {
    int i;
    for (i = 0; i < pool->slot_count; i++) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        dbm__word none = 0;
        if (dbm__load(&slot->site) != 0 && dbm__load(&slot->since_ms) == 0) dbm__cas(&slot->since_ms, &none, (dbm__word)(now / 1000) | 1u);
    }
}
#endif

static dbm_status dbm__pool_timed_out(dbm__pool *pool, bool pools_own, int64_t waited, const char *site) {
    dbm_database *db = pool->db;
    char block[600], cause[512];
    dbm__text holders = dbm__text_in(block, sizeof block);
    dbm_stats_info s;
    dbm__pool_stats(pool, &s);
    dbm__pool_holders(pool, &holders);
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

static void dbm__wake_thread(void *ud) { dbm__signal_one((dbm__signal *)ud); }

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

/* Looks at an idle connection before it is handed out. False: it is dead, or too old. No lock is held. */
static bool dbm__slot_alive(dbm__slot *slot, int64_t deadline_us) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    dbm_connection *c = &slot->connection;
    const dbm_config *config = &db->settings->config;
    int64_t now, idle;
    dbm_op op;
    if (dbm__load(&pool->shared_dead) != 0) return false;
    if (!pool->check) return true;
    now = dbm__now(db->host);
    if (now >= slot->expires_us) {
        dbm__lock_take(&pool->lock);
        pool->stats.recycled++;
        dbm__lock_give(&pool->lock);
        return false;
    }
    if (config->pool.pre_ping == DBM_PRE_PING_OFF) return true;
    idle = now - slot->used_us;
    if (config->pool.pre_ping != DBM_PRE_PING_ALWAYS) {
        dbm__word since = dbm__load(&pool->suspect_ms);
        bool suspect = since != 0 && (dbm__word)(slot->used_us / 1000) <= since;
        if (idle < 1000 && !suspect) return true;
        if (db->adapter->alive != NULL && db->adapter->alive(c) != DBM_OK) return false;
        if (!suspect && (idle < 1000000 || !(db->adapter->flags & DBM_ADAPTER_SOCKET))) return true;
    }
    dbm__op_init(&op, DBM_OP_PING, deadline_us < now + 5000000 ? deadline_us : now + 5000000);
    return dbm__op_run(c, &op) == DBM_OK;
}

/* The last session that outlived its manager frees everything. */
static void dbm__orphan_returned(dbm_database *db) {
    dbm__shared *shared = db->shared;
    if (dbm__add(&shared->orphans, (dbm__word)0 - 1u) == 1u) shared->free_all(shared);
}

/* Takes a slot that was just found dead out of service: its connection closed, its place empty. */
DBM__FN void dbm__slot_retire(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    bool broken = slot->connection.broken, orphaned;
    dbm__slot_disconnect(slot, broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
    dbm__lock_take(&pool->lock);
    pool->open--;
    pool->stats.disconnects++;
    if (broken) pool->stats.broken++;
    slot->reset_full = false;
    dbm__slot_to_empty(slot);
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, dbm__now(pool->db->host));
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    orphaned = pool->orphaned;
    dbm__lock_give(&pool->lock);
    if (orphaned) dbm__orphan_returned(pool->db);
}

DBM__FN DBM__NOINLINE dbm_status dbm__pool_take_slow(dbm_database *db, int64_t session_deadline_us, dbm__word holder, const char *site,
                                                     dbm__slot **out) {
    dbm__pool *pool = db->pool;
    dbm__slot *had = NULL;
    int word;
    dbm__waiter w;
    dbm__signal signal;
    dbm__blocked blocked;
    bool signal_made = false, in_graph = false, pools_own, went_down = false, came_up = false, timed_out = false;
    int64_t began, deadline, connect_deadline, now;
    dbm_status st = DBM_OK;
    *out = NULL;
    dbm__fork_look();
    if (DBM__UNLIKELY(dbm__load(&pool->fork) != dbm__fork_epoch())) dbm__pool_after_fork(pool);
    for (word = 0; word < pool->words && had == NULL; word++) had = dbm__pool_try(pool, word);
    began = now = dbm__now(db->host);
    deadline = began + (int64_t)db->settings->config.pool.timeout_ms * 1000;
    pools_own = deadline <= session_deadline_us;
    if (!pools_own) deadline = session_deadline_us;
    connect_deadline = db->settings->config.pool.timeout_ms < 0 ? session_deadline_us : deadline; /* not waiting for others is no reason not to connect */
    memset(&w, 0, sizeof w);
    w.slot = had;
    w.got = had != NULL ? DBM__GOT_IDLE : DBM__GOT_NOTHING;
    for (;;) {
        if (w.got == DBM__GOT_IDLE) {
            if (dbm__slot_alive(w.slot, connect_deadline)) break;
            dbm__slot_retire(w.slot);
            w.got = DBM__GOT_NOTHING;
            now = dbm__now(db->host);
        }
        if (w.got == DBM__GOT_EMPTY) {
            st = dbm__slot_connect(w.slot, connect_deadline);
            now = dbm__now(db->host);
            dbm__lock_take(&pool->lock);
            pool->connecting--;
            if (st == DBM_OK) {
                bool closing = pool->state != DBM__POOL_OPEN;
                came_up = dbm__pool_connected(pool);
                dbm__pool_dispatch(pool, now); /* a permit to connect is free again */
                dbm__lock_give(&pool->lock);
                if (!closing) break;
                dbm__slot_retire(w.slot);
                st = dbm__pool_failed(pool, DBM_E_CLOSED, site);
                goto done;
            }
            dbm__slot_to_empty(w.slot);
            if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
            if (!dbm__pool_connect_failed(pool, &dbm__self()->last, now, &went_down)) {
                dbm__pool_dispatch(pool, now);
                dbm__lock_give(&pool->lock);
                goto done; /* with this thread's own failure */
            }
            if (now >= deadline) { /* others have connections, so it waited for one of those too */
                pool->stats.timeouts++;
                dbm__pool_dispatch(pool, now);
                dbm__lock_give(&pool->lock);
                st = dbm__pool_timed_out(pool, pools_own, now - began, site);
                goto done;
            }
            dbm__lock_give(&pool->lock);
            st = DBM_OK;
            w.got = DBM__GOT_NOTHING;
        }
        /* In line, and serve the line. */
        dbm__lock_take(&pool->lock);
        if (pool->state != DBM__POOL_OPEN) {
            dbm__lock_give(&pool->lock);
            st = dbm__pool_failed(pool, DBM_E_CLOSED, site);
            goto done;
        }
        if (pool->open == 0 && pool->connecting == 0 && now < pool->retry_us && pool->first == NULL) {
            dbm__lock_give(&pool->lock); /* down, and just tried: say why at once */
            st = dbm__pool_failed(pool, DBM_E_CONNECT, site);
            goto done;
        }
        if (!signal_made) {
            if (!dbm__signal_init(&signal)) {
                dbm__lock_give(&pool->lock);
                st = dbm__no_memory(DBM_STAGE_CHECKOUT, db->name, site);
                goto done;
            }
            signal_made = true;
            w.wake = dbm__wake_thread;
            w.ud = &signal;
        }
        if (w.ticket == 0) w.ticket = ++pool->tickets;
        dbm__waiter_link(pool, &w);
        dbm__pool_dispatch(pool, now);
        if (w.got == DBM__GOT_NOTHING) {
#if !DBM__THREADS
            dbm__waiter_unlink(pool, &w);
            dbm__pool_dispatch(pool, now);
            dbm__lock_give(&pool->lock);
            if (pool->failures > 0) { /* there is room, but no connection could be made */
                st = dbm__pool_failed(pool, DBM_E_CONNECT, site);
                goto done;
            }
            {
                char block[400];
                dbm__text holders = dbm__text_in(block, sizeof block);
                dbm__pool_holders(pool, &holders);
                st = dbm__fail(DBM_E_WOULD_DEADLOCK, DBM_STAGE_CHECKOUT, db->name, site,
                               "database %q: all %d connections are out and there are no other threads that could give one back; held by %s",
                               db->name, pool->slot_count, block);
            }
            goto done;
#else
            pool->stats.waits++;
            dbm__pool_look(pool, now);
            if (!in_graph) {
                /* Left and entered around the walk: it must not run under the pool's lock. */
                dbm__lock_give(&pool->lock);
                st = dbm__graph_enter(db, &blocked, pool, NULL, site);
                in_graph = st == DBM_OK;
                dbm__lock_take(&pool->lock);
            }
            while (st == DBM_OK && w.got == DBM__GOT_NOTHING) {
                int64_t until = deadline;
                now = dbm__now(db->host);
                if (now >= deadline) {
                    timed_out = true;
                    break;
                }
                if (pool->first == &w && pool->retry_us > now && pool->retry_us < until) until = pool->retry_us;
                dbm__wait_until(db->host, &signal, &pool->lock, until);
                if (w.got == DBM__GOT_NOTHING && pool->first == &w) dbm__pool_dispatch(pool, dbm__now(db->host));
            }
            if (w.got == DBM__GOT_NOTHING) { /* timed out, or a deadlock: nobody can hand us anything from here on */
                dbm__waiter_unlink(pool, &w);
                if (timed_out) pool->stats.timeouts++;
                dbm__pool_dispatch(pool, now);
            } else if (st != DBM_OK) {
                st = DBM_OK; /* served while the walk ran: no deadlock after all */
            }
#endif
        }
        dbm__lock_give(&pool->lock);
        if (timed_out) {
            st = dbm__pool_timed_out(pool, pools_own, now - began, site);
            goto done;
        }
        if (st != DBM_OK) goto done;
        if (w.got == DBM__GOT_FAILURE) {
            st = dbm__pool_failed(pool, w.status, site);
            goto done;
        }
        now = dbm__now(db->host);
    }
    /* Out of the graph before it is a holder: one who waits for what it holds is a deadlock to whoever looks. */
    if (in_graph) dbm__graph_leave(db, &blocked);
    in_graph = false;
    dbm__store(&w.slot->uses, w.slot->uses + 1u);
    dbm__store(&w.slot->since_ms, (dbm__word)(now / 1000) | 1u);
    dbm__store(&w.slot->site, (dbm__word)site);
    dbm__store(&w.slot->holder, holder);
    *out = w.slot;
done:
    if (in_graph) dbm__graph_leave(db, &blocked);
    if (signal_made) dbm__signal_free(&signal);
    if (went_down) dbm__event(db->host, DBM_EVENT_DOWN, DBM_LOG_WARNING, db->name, site, st, 0, "%s", dbm__self()->last.message);
    if (came_up) dbm__event(db->host, DBM_EVENT_UP, DBM_LOG_INFO, db->name, site, DBM_OK, 0, "database %q answers again", db->name);
    if (st != DBM_OK && site != NULL && dbm__self()->last.site[0] == 0) dbm__copy_cut(dbm__self()->last.site, sizeof dbm__self()->last.site, site);
    return st;
}

DBM__FN dbm_status dbm__pool_reconnect(dbm__slot *slot, int64_t deadline_us) {
    dbm__pool *pool = slot->pool;
    dbm_status st;
    bool went_down = false, came_up = false, was_open = slot->connection.open; /* not, when an earlier reconnect failed */
    dbm__pool_suspect(pool);
    dbm__slot_disconnect(slot, DBM_DISCONNECT_BROKEN);
    dbm__lock_take(&pool->lock);
    if (was_open) {
        pool->open--;
        pool->stats.disconnects++;
        pool->stats.broken++;
    }
    pool->connecting++; /* over the permit for once: this session has its place already */
    dbm__lock_give(&pool->lock);
    st = dbm__slot_connect(slot, deadline_us);
    dbm__lock_take(&pool->lock);
    pool->connecting--;
    if (st == DBM_OK) {
        came_up = dbm__pool_connected(pool);
    } else {
        slot->connection.broken = true; /* the slot comes back without a connection */
        dbm__pool_connect_failed(pool, &dbm__self()->last, dbm__now(pool->db->host), &went_down);
        dbm__pool_set_slow(pool);
    }
    dbm__pool_dispatch(pool, dbm__now(pool->db->host));
    dbm__lock_give(&pool->lock);
    if (came_up) dbm__event(pool->db->host, DBM_EVENT_UP, DBM_LOG_INFO, pool->db->name, NULL, DBM_OK, 0, "database %q answers again", pool->db->name);
    if (went_down) dbm__event(pool->db->host, DBM_EVENT_DOWN, DBM_LOG_WARNING, pool->db->name, NULL, st, 0, "%s", dbm__self()->last.message);
    return st;
}

DBM__FN void dbm__pool_suspect(dbm__pool *pool) {
    dbm__store(&pool->suspect_ms, (dbm__word)(dbm__now(pool->db->host) / 1000));
}

/* ---- return ------------------------------------------------------------------------------------------------------------ */

DBM__FN DBM__NOINLINE void dbm__pool_give_slow(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    dbm_database *db = pool->db;
    bool close = slot->connection.broken || !slot->connection.open, due = (slot->uses & (DBM__UPKEEP_EVERY - 1u)) == 0;
    bool leak_reported = false, keep = false, orphaned;
    dbm_error_info kept;
    if (dbm__load(&pool->slow) != 0) {
        dbm__lock_take(&pool->lock);
        leak_reported = slot->leak_reported;
        slot->leak_reported = false;
        if (leak_reported) pool->leaks_out--;
        dbm__lock_give(&pool->lock);
    }
    if (leak_reported) {
        dbm__event(db->host, DBM_EVENT_LEAK_RETURNED, DBM_LOG_INFO, db->name, NULL, DBM_OK, 0, "a session that was reported as leaked came back");
    }
    if (!close && (slot->reset_full || pool->full_reset)) {
        dbm_op op;
        kept = dbm__self()->last;
        keep = true;
        dbm__op_init(&op, DBM_OP_RESET, dbm__deadline(db->host, 5000));
        if (dbm__op_run(&slot->connection, &op) != DBM_OK) close = true;
        slot->reset_full = false;
    }
    if (pool->check) {
        slot->used_us = dbm__now(db->host);
        if (!close && !due && dbm__pool_put(slot)) return;
    }
    if (close && slot->connection.open) {
        bool broken = slot->connection.broken;
        dbm__slot_disconnect(slot, broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
        dbm__lock_take(&pool->lock);
        pool->open--;
        pool->stats.disconnects++;
        if (broken) pool->stats.broken++;
        dbm__lock_give(&pool->lock);
    }
    if (due) { /* while the slot is still ours: after its return the pool may be gone */
        if (!keep) kept = dbm__self()->last;
        keep = true;
        dbm__pool_upkeep(pool, false);
    }
    for (;;) {
        dbm__lock_take(&pool->lock);
        if (close || !slot->connection.open) {
            dbm__slot_to_empty(slot);
        } else if (pool->state != DBM__POOL_OPEN || (pool->open > pool->size && pool->first == NULL)) {
            pool->open--;
            pool->stats.disconnects++;
            dbm__lock_give(&pool->lock);
            dbm__slot_disconnect(slot, DBM_DISCONNECT_POLITE);
            close = true;
            continue;
        } else {
            dbm__pool_set_idle(slot);
        }
        break;
    }
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, pool->first != NULL ? dbm__now(db->host) : 0);
    if (pool->state != DBM__POOL_OPEN) dbm__signal_all(&pool->drained);
    orphaned = pool->orphaned;
    dbm__lock_give(&pool->lock);
    if (keep) dbm__self()->last = kept;
    if (orphaned) dbm__orphan_returned(db);
}

/* ---- closing, counting ------------------------------------------------------------------------------------------------- */

/* Slots that are neither idle nor empty, connects in flight left out. The lock is held. */
static int dbm__pool_out_locked(dbm__pool *pool) {
    int w, in = 0;
    for (w = 0; w < pool->words; w++) {
        dbm__word v = (dbm__load(&pool->idle[w]) & ~DBM__WAIT_BIT) | pool->empty[w];
        while (v != 0) { v &= v - 1u; in++; }
    }
    return pool->slot_count - in - pool->connecting;
}

DBM__FN int dbm__pool_out(dbm__pool *pool) {
    int n;
    dbm__lock_take(&pool->lock);
    n = dbm__pool_out_locked(pool);
    dbm__lock_give(&pool->lock);
    return n;
}

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
    dbm__pool_set_slow(pool);
    dbm__pool_dispatch(pool, 0);
    while ((slot = dbm__pool_pick_idle(pool)) != NULL) {
        pool->open--;
        pool->stats.disconnects++;
        dbm__lock_give(&pool->lock);
        dbm__slot_disconnect(slot, DBM_DISCONNECT_POLITE);
        dbm__lock_take(&pool->lock);
        dbm__slot_to_empty(slot);
    }
    dbm__lock_give(&pool->lock);
    if (dbm__pool_shared(pool)) dbm__shared_close(pool, DBM_DISCONNECT_POLITE);
}

DBM__FN int dbm__pool_drain(dbm__pool *pool, int64_t until_us) {
    dbm__word self = dbm__thread_number();
    int out, i, mine;
    dbm__lock_take(&pool->lock);
    for (;;) {
        out = dbm__pool_out_locked(pool);
        for (i = 0, mine = 0; i < pool->slot_count; i++) if (dbm__load(&dbm__pool_slot(pool, i)->holder) == self) mine++;
        if (out + pool->connecting <= mine || !DBM__THREADS || dbm__now(pool->db->host) >= until_us) break;
        dbm__wait_until(pool->db->host, &pool->drained, &pool->lock, until_us);
    }
    dbm__lock_give(&pool->lock);
    return out;
}

DBM__FN void dbm__pool_stats(dbm__pool *pool, dbm_stats_info *out) {
    int i, w, idle = 0;
    dbm__lock_take(&pool->lock);
    *out = pool->stats;
    out->size = pool->size;
    out->max_overflow = pool->slot_count - pool->size;
    out->open = pool->open;
    out->connecting = pool->connecting;
    out->waiting = pool->waiting;
    out->down = pool->down;
    out->out = dbm__pool_out_locked(pool);
    for (w = 0; w < pool->words; w++) {
        dbm__word v = dbm__load(&pool->idle[w]) & ~DBM__WAIT_BIT;
        while (v != 0) { v &= v - 1u; idle++; }
    }
    out->idle = idle;
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
    pool->waiting = pool->connecting = pool->open = 0;
    pool->down = false;
    pool->retry_us = 0;
    pool->failures = 0;
    for (i = 0; i < pool->words; i++) {
        dbm__store(&pool->idle[i], 0);
        pool->empty[i] = 0;
    }
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
        slot->reset_full = slot->leak_reported = false;
        dbm__slot_to_empty(slot);
    }
    if (dbm__pool_shared(pool) && pool->shared.open) dbm__connection_close(&pool->shared, DBM_DISCONNECT_FORKED);
    pool->shared_users = pool->leaks_out = 0;
    pool->shared_busy = false;
    dbm__store(&pool->shared_dead, 0);
    dbm__pool_set_slow(pool);
    dbm__pool_wait_bits(pool, pool->state != DBM__POOL_OPEN);
    dbm__store_release(&pool->fork, now);
}
/* --- end src/pool/pool.c --- */
/* --- begin src/pool/upkeep.c --- */
/* Upkeep: idle connections closed down to min_idle, old ones replaced, min_idle opened ahead, leaks reported.
 * May call: api/, base/, adapter/, pool.h.
 * Must not know: who calls it: a return that found a piece due, dbm_maintain, or the upkeep thread. */

/* Takes one idle slot that is due out of the idle set, highest index first, since checkouts prefer the lowest. The lock is held: a bit that is
 * put back here must not be missed by somebody who has just queued. */
static dbm__slot *dbm__upkeep_pick(dbm__pool *pool, int64_t now, int64_t idle_limit_us, int min_idle, bool *old) {
    int i, w, idle = 0;
    for (w = 0; w < pool->words; w++) {
        dbm__word v = dbm__load(&pool->idle[w]) & ~DBM__WAIT_BIT;
        while (v != 0) { v &= v - 1u; idle++; }
    }
    for (i = pool->slot_count - 1; i >= 0; i--) {
        dbm__slot *slot = dbm__pool_slot(pool, i);
        dbm__word o = dbm__load(&pool->idle[slot->word]);
        bool expired, stale;
        if (!(o & slot->bit)) continue;
        /* Taken first, looked at then: an idle slot's fields belong to whoever has its bit. */
        while ((o & slot->bit) && !dbm__cas(&pool->idle[slot->word], &o, o & ~slot->bit)) {}
        if (!(o & slot->bit)) continue;
        if (slot->used_us == 0) slot->used_us = now;
        expired = now >= slot->expires_us;
        stale = idle_limit_us > 0 && idle > min_idle && now - slot->used_us >= idle_limit_us;
        if (expired || stale) {
            *old = expired;
            return slot;
        }
        o = dbm__load(&pool->idle[slot->word]);
        while (!dbm__cas(&pool->idle[slot->word], &o, o | slot->bit)) {}
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
        dbm__lock_give(&pool->lock);
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
/* --- end src/pool/upkeep.c --- */
/* --- begin src/sql/lexer.h --- */
/* SQL as far as dbm.h must read it: placeholders, the first words, the end of a statement, quoting.
 * May call: api/, base/.
 * Must not know: sessions, caches, connections. */
#ifndef DBM__LEXER_H
#define DBM__LEXER_H

#ifdef __cplusplus
extern "C" {
#endif

/* What a statement's first words say. */
typedef enum dbm__verb {
    DBM__VERB_OTHER = 0,   /* not known: taken as writing */
    DBM__VERB_READ,        /* SELECT, VALUES, SHOW, EXPLAIN, DESCRIBE, TABLE, WITH ... SELECT without a writing word, PRAGMA
                            * without = or (, and what ends with the transaction: SET LOCAL of PostgreSQL */
    DBM__VERB_WRITE,       /* INSERT, UPDATE, DELETE, REPLACE, MERGE, WITH ... INSERT/UPDATE/DELETE, SELECT ... INTO or FOR
                            * UPDATE, PRAGMA that changes the file (user_version = n, wal_checkpoint) */
    DBM__VERB_SCHEMA,      /* CREATE, DROP, ALTER, TRUNCATE, VACUUM, ... */
    DBM__VERB_STATE,       /* SET, PREPARE, LISTEN, CREATE TEMP, PRAGMA x = y, ATTACH, LOCK, USE, SELECT pg_advisory_lock(),
                            * ...: changes the connection itself */
    DBM__VERB_TRANSACTION  /* BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, START TRANSACTION, END, ABORT */
} dbm__verb;

/* A placeholder's name, when values come with names. */
typedef struct dbm__place { const char *name; size_t size; } dbm__place;

/* No backend takes more: the protocols of PostgreSQL and MySQL count placeholders in 16 bits. */
#define DBM__SQL_MAX_PARAMETERS 65535

/* One statement, read. */
typedef struct dbm__parsed {
    char *sql;              /* as the backend reads it; allocated, NUL-terminated */
    size_t size;
    int parameters;         /* values that the statement takes; -1 with DBM_PH_NATIVE: not counted */
    dbm__place *places;     /* named only: the name of each parameter, pointing into names; NULL when there is none */
    char *names;            /* a block of its own */
    dbm__verb verb;         /* of the first statement; when there are several and the first one reads, OTHER */
    bool returning;         /* has the word RETURNING outside quotes */
    bool random;            /* calls random( or randomblob(: another run would give other rows */
    bool several;           /* more than one statement: text after a `;` that is not blank or comment */
} dbm__parsed;

/* Reads one statement, rewrites its placeholders for a backend. `named`: `:name` are placeholders and `?` is not.
 * `??` becomes `?` and is not counted. Placeholders that the backend knows and dbm.h does not (@x of SQLite, :name without
 * `named`) stay and are not counted: an adapter that can count compares its own number with `parameters`.
 * Returns   DBM_OK, and *out to be freed; else *out is all zero.
 * Errors    E_MISUSE (`?1`, `$1` where it is not allowed, ? beside :name or $1, a quote or comment that is not closed, a NUL
 *           byte: with its position), E_LIMIT (DBM__SQL_MAX_PARAMETERS), E_NOMEM.
 *           They are this thread's last failure, stage STATEMENT; database and site are the caller's. */
DBM__FN dbm_status dbm__sql_parse(dbm__host *host, const char *sql, size_t size, dbm_placeholders placeholders, unsigned lexer,
                                  bool named, const char *database, const char *site, dbm__parsed *out);
DBM__FN void dbm__parsed_free(dbm__host *host, dbm__parsed *parsed);
/* Bytes of the first statement of a script, its `;` excluded, leading blanks and comments included; *next is where the one
 * after it begins, *next == size at the end. 0: nothing to run there, only blanks, comments or a lone `;`. A script is run by
 *     for (at = 0; at < size; at += next) {
 *         n = dbm__sql_statement_end(sql + at, size - at, lexer, &next);
 *         if (n) run(sql + at, n);
 *     }
 * Knows bodies: CREATE TRIGGER ... BEGIN ... END of SQLite, BEGIN ATOMIC ... END of PostgreSQL, MySQL's nested blocks.
 * A quote or comment that is not closed takes the rest, which dbm__sql_parse then refuses. */
DBM__FN size_t dbm__sql_statement_end(const char *sql, size_t size, unsigned lexer, size_t *next);
/* The line number (from 1) of a byte of a text. */
DBM__FN int dbm__sql_line(const char *sql, size_t position);
/* Writes a quoted identifier; `quote` is " or `. Each part of "schema.table" stays one name: dots are not special.
 * Errors    E_RANGE (the buffer is too small; says how many bytes are needed), E_MISUSE (NULL or empty). */
DBM__FN dbm_status dbm__sql_ident(char *block, size_t capacity, const char *name, char quote);

#ifdef __cplusplus
}
#endif
#endif /* DBM__LEXER_H */
/* --- end src/sql/lexer.h --- */
/* --- begin src/sql/lexer.c --- */
/* Reads SQL as far as dbm.h must: tokens by the backend's rules, and from them placeholders, the verb, the end of a statement.
 * May call: api/, base/.
 * Must not know: sessions, caches, connections, and what a statement means beyond its first words. */

/* One reader makes tokens; three listeners are fed with them: the splitter (where does a statement end), the classifier (what
 * does it do) and the rewriter (placeholders). No byte is looked at more than a few times, nothing recurses, and every word
 * is known by a small number, its code. */

/* ---- words --------------------------------------------------------------------------------------------------------- */

/* The words that matter, in ASCII order, and what each says as a statement's first one. */
#define DBM__KW_LIST(X) \
    X(ABORT, TRANSACTION) X(AGGREGATE, OTHER) X(ALTER, SCHEMA) X(ANALYSE, SCHEMA) X(ANALYZE, SCHEMA) X(ATOMIC, OTHER) \
    X(ATTACH, STATE) X(BEGIN, TRANSACTION) X(CASE, OTHER) X(CLOSE, STATE) X(CLUSTER, SCHEMA) X(COMMENT, SCHEMA) \
    X(COMMIT, TRANSACTION) X(CONSTRAINTS, OTHER) X(COPY, WRITE) X(CREATE, SCHEMA) X(DATA, OTHER) X(DEALLOCATE, STATE) \
    X(DECLARE, STATE) X(DEFINER, OTHER) X(DELETE, WRITE) X(DESC, READ) X(DESCRIBE, READ) X(DETACH, STATE) X(DISCARD, STATE) \
    X(DROP, SCHEMA) X(END, TRANSACTION) X(EVENT, OTHER) X(EXECUTE, OTHER) X(EXISTS, OTHER) X(EXPLAIN, READ) X(FETCH, READ) \
    X(FOR, OTHER) X(FORMAT, OTHER) X(FUNCTION, OTHER) X(GET_LOCK, OTHER) X(GLOBAL, OTHER) X(GRANT, SCHEMA) X(IF, OTHER) \
    X(IN, OTHER) X(INDEX, OTHER) X(INSERT, WRITE) X(INTO, OTHER) X(KEY, OTHER) X(LISTEN, STATE) X(LOAD, STATE) \
    X(LOCAL, OTHER) X(LOCK, STATE) X(LOOP, OTHER) X(MERGE, WRITE) X(MOVE, READ) X(NO, OTHER) X(NOT, OTHER) X(NOTIFY, WRITE) \
    X(OPTIMIZE, SCHEMA) X(OR, OTHER) X(PG_ADVISORY_LOCK, OTHER) X(PG_ADVISORY_LOCK_SHARED, OTHER) X(PG_TEMP, OTHER) \
    X(PG_TRY_ADVISORY_LOCK, OTHER) X(PG_TRY_ADVISORY_LOCK_SHARED, OTHER) X(PLAN, OTHER) X(PRAGMA, READ) X(PREPARE, STATE) \
    X(PROCEDURE, OTHER) X(QUERY, OTHER) X(RANDOM, OTHER) X(RANDOMBLOB, OTHER) X(RECURSIVE, OTHER) X(REFRESH, SCHEMA) \
    X(REINDEX, SCHEMA) X(RELEASE, TRANSACTION) X(RENAME, SCHEMA) X(REPEAT, OTHER) X(REPLACE, WRITE) X(RESET, STATE) \
    X(RETURNING, OTHER) X(REVOKE, SCHEMA) X(ROLLBACK, TRANSACTION) X(SAVEPOINT, TRANSACTION) X(SELECT, READ) X(SET, STATE) \
    X(SET_CONFIG, OTHER) X(SHARE, OTHER) X(SHOW, READ) X(START, TRANSACTION) X(TABLE, READ) X(TEMP, OTHER) \
    X(TEMPORARY, OTHER) X(TRANSACTION, OTHER) X(TRIGGER, OTHER) X(TRUNCATE, SCHEMA) X(UNIQUE, OTHER) X(UNLISTEN, STATE) \
    X(UNLOCK, STATE) X(UPDATE, WRITE) X(USE, STATE) X(VACUUM, SCHEMA) X(VALUES, READ) X(VIEW, OTHER) X(VIRTUAL, OTHER) \
    X(WAL, OTHER) X(WHILE, OTHER) X(WITH, OTHER) X(XA, TRANSACTION) X(XML, OTHER)

enum {
    DBM__KW_NONE = 0,
#define DBM__KW_ENUM(word, verb) DBM__KW_##word,
    DBM__KW_LIST(DBM__KW_ENUM)
#undef DBM__KW_ENUM
    DBM__KW_COUNT
};

static const struct { const char *word; dbm__verb verb; } dbm__kw_table[DBM__KW_COUNT] = {
    { "", DBM__VERB_OTHER },
#define DBM__KW_ROW(word, verb) { #word, DBM__VERB_##verb },
    DBM__KW_LIST(DBM__KW_ROW)
#undef DBM__KW_ROW
};

/* A token's code: a word's number, 256 + the byte of a sign, or of a quoted text 512 + the number of the word inside. */
#define DBM__CODE_VALUE 255
#define DBM__CODE_SIGN(c) (256 + (int)(unsigned char)(c))
#define DBM__CODE_QUOTED 512

static int dbm__lex_upper(char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : (int)(unsigned char)c; }

/* < 0, 0, > 0 as the word comes before, is, or comes after `name`, which is in capitals. */
static int dbm__lex_compare(const char *word, size_t size, const char *name) {
    size_t i;
    for (i = 0; i < size; i++) {
        int d = dbm__lex_upper(word[i]) - (int)(unsigned char)name[i];
        if (d || !name[i]) return d ? d : 1;
    }
    return name[size] ? -1 : 0;
}

static int dbm__lex_code(const char *word, size_t size) {
    int low = 1, high = DBM__KW_COUNT - 1;
    while (low <= high) {
        int middle = (low + high) / 2, d = dbm__lex_compare(word, size, dbm__kw_table[middle].word);
        if (!d) return middle;
        if (d < 0) high = middle - 1;
        else low = middle + 1;
    }
    return DBM__KW_NONE;
}

/* Whether a word is in a list of words in capitals, each followed by a blank. */
static bool dbm__lex_in(const char *list, const char *word, size_t size) {
    while (*list) {
        size_t n = strcspn(list, " "), i = 0;
        while (i < n && i < size && dbm__lex_upper(word[i]) == (int)(unsigned char)list[i]) i++;
        if (i == n && i == size) return true;
        list += n + 1;
    }
    return false;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static bool dbm__lex_is_digit(char c) { return c >= '0' && c <= '9'; }
static bool dbm__lex_is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool dbm__lex_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || ((unsigned char)c & 0x80u);
}
static bool dbm__lex_is_name(char c) { return dbm__lex_is_letter(c) || dbm__lex_is_digit(c); }
/* What would join a placeholder that stands directly beside it. */
static bool dbm__lex_is_word(char c) { return dbm__lex_is_name(c) || c == '$'; }

static size_t dbm__lex_name_end(const char *s, size_t n, size_t i) {
    while (i < n && dbm__lex_is_name(s[i])) i++;
    return i;
}

/* ---- quotes and comments: each takes the place after what opened it, and gives the one after what closes it, or 0 -------- */

static size_t dbm__lex_quoted(const char *s, size_t n, size_t i, char quote, bool backslash) {
    for (; i < n; i++) {
        if (s[i] == quote) {
            if (i + 1 >= n || s[i + 1] != quote) return i + 1;
            i++;
        } else if (backslash && s[i] == '\\') {
            i++;
        }
    }
    return 0;
}

/* E'...' of PostgreSQL. A text that follows after a line break belongs to it, so its backslashes escape too. */
static size_t dbm__lex_estring(const char *s, size_t n, size_t i) {
    for (;;) {
        size_t end = dbm__lex_quoted(s, n, i, '\'', true);
        bool line = false;
        if (!end) return 0;
        for (i = end; i < n; i++) {
            if (s[i] == '\n' || s[i] == '\r') line = true;
            else if (s[i] == '-' && i + 1 < n && s[i + 1] == '-') {
                while (i + 1 < n && s[i + 1] != '\n' && s[i + 1] != '\r') i++;
            } else if (!dbm__lex_is_blank(s[i])) break;
        }
        if (!line || i >= n || s[i] != '\'') return end;
        i++;
    }
}

static size_t dbm__lex_comment(const char *s, size_t n, size_t i, bool nested) {
    size_t depth = 1;
    for (; i + 1 < n; i++) {
        if (s[i] == '*' && s[i + 1] == '/') {
            i++;
            if (!--depth) return i + 1;
        } else if (nested && s[i] == '/' && s[i + 1] == '*') {
            i++;
            depth++;
        }
    }
    return 0;
}

/* $tag$ ... $tag$; i is at its first $. SIZE_MAX: this is not one. No tag holds a $, so a comparison that fails never goes
 * past the next $ of the text, and all of them together look at each byte once. */
static size_t dbm__lex_dollar(const char *s, size_t n, size_t i) {
    size_t tag, end = i + 1, at, k;
    if (end < n && dbm__lex_is_digit(s[end])) return SIZE_MAX;
    end = dbm__lex_name_end(s, n, end);
    if (end >= n || s[end] != '$') return SIZE_MAX;
    tag = end + 1 - i;
    for (at = end + 1; n - at >= tag; at++) {
        const void *found = memchr(s + at, '$', n - at);
        if (!found) return 0;
        at = (size_t)((const char *)found - s);
        if (n - at < tag) return 0;
        for (k = 1; k < tag && s[at + k] == s[i + k]; k++) { }
        if (k == tag) return at + tag;
    }
    return 0;
}

/* ---- tokens -------------------------------------------------------------------------------------------------------- */

typedef enum dbm__token {
    DBM__TOKEN_END = 0,
    DBM__TOKEN_BLANK,    /* blanks, or a comment */
    DBM__TOKEN_WORD,
    DBM__TOKEN_VALUE,    /* a number, or a variable of the backend's own: @x, $x */
    DBM__TOKEN_QUOTED,
    DBM__TOKEN_MARK,     /* ? */
    DBM__TOKEN_ESCAPED,  /* ?? */
    DBM__TOKEN_NUMBERED, /* $1 */
    DBM__TOKEN_NAMED,    /* :name */
    DBM__TOKEN_SIGN,     /* any other byte; :: and := are one */
    DBM__TOKEN_OPEN      /* a quote or comment that begins at `start` and is not closed: the last token */
} dbm__token;

typedef struct dbm__lex {
    const char *sql;
    size_t size, start, at;  /* the token in hand is sql[start..at) */
    size_t conditional;      /* MySQL: 1 + where the open conditional comment begins; 0: none */
    unsigned bits;           /* DBM_LEX_... */
    bool mysql;              /* what has no bit of its own: conditional comments, blocks inside blocks */
    dbm__token token;
    int code, previous;      /* of the token in hand and of the one before it; blanks have none */
} dbm__lex;

static void dbm__lex_begin(dbm__lex *x, const char *sql, size_t size, unsigned bits) {
    const unsigned mysql = DBM_LEX_HASH | DBM_LEX_DASH_SPACE;
    memset(x, 0, sizeof *x);
    x->sql = sql;
    x->size = size;
    x->bits = bits;
    x->mysql = (bits & mysql) == mysql;
}

/* A token that takes all up to `end`; 0: it is not closed. */
static void dbm__lex_take(dbm__lex *x, dbm__token token, size_t end) {
    x->token = end ? token : DBM__TOKEN_OPEN;
    x->at = end ? end : x->size;
}

/* Blanks and comments, if one begins here. */
static bool dbm__lex_blank(dbm__lex *x) {
    const char *s = x->sql;
    size_t n = x->size, i = x->start, left = n - i;
    char next = 0;
    if (left > 1) next = s[i + 1];
    if (dbm__lex_is_blank(s[i])) {
        while (i < n && dbm__lex_is_blank(s[i])) i++;
    } else if ((s[i] == '#' && (x->bits & DBM_LEX_HASH)) || (s[i] == '-' && next == '-')) {
        /* MySQL reads 5--3 as 5 - -3: there a blank, a control byte or the end must follow. */
        if (s[i] == '-' && (x->bits & DBM_LEX_DASH_SPACE) && left > 2 && (unsigned char)s[i + 2] > ' ' && s[i + 2] != 0x7F) {
            return false;
        }
        while (i < n && s[i] != '\n' && !(s[i] == '\r' && (x->bits & DBM_LEX_DOLLAR))) i++; /* PostgreSQL: at a lone CR too */
    } else if (s[i] == '/' && next == '*') {
        size_t mark = left > 3 && s[i + 2] == 'M' ? 3 : 2;
        if (x->mysql && !x->conditional && left > mark && s[i + mark] == '!') { /* code, for servers from that version on */
            x->conditional = i + 1;
            i += mark + 1;
            while (i < n && dbm__lex_is_digit(s[i])) i++;
        } else {
            i = dbm__lex_comment(s, n, i + 2, (x->bits & DBM_LEX_NESTED) != 0);
        }
    } else if (s[i] == '*' && next == '/' && x->conditional) {
        x->conditional = 0;
        i += 2;
    } else if (left >= 3 && memcmp(s + i, "\xEF\xBB\xBF", 3) == 0) { /* a byte order mark */
        i += 3;
    } else {
        return false;
    }
    dbm__lex_take(x, DBM__TOKEN_BLANK, i);
    return true;
}

/* The token that begins at x->at. */
static void dbm__lex_next(dbm__lex *x) {
    const char *s = x->sql;
    size_t n = x->size, i = x->at, end;
    bool backslash = (x->bits & DBM_LEX_BACKSLASH) != 0;
    char c, next;
    x->start = i;
    if (i >= n) {
        x->token = x->conditional ? DBM__TOKEN_OPEN : DBM__TOKEN_END;
        if (x->conditional) x->start = x->conditional - 1;
        return;
    }
    if (dbm__lex_blank(x)) return;
    c = s[i];
    next = 0;
    if (i + 1 < n) next = s[i + 1];
    x->previous = x->code;
    x->code = DBM__CODE_SIGN(c);
    if (dbm__lex_is_letter(c)) {
        end = i + 1;
        while (end < n && dbm__lex_is_word(s[end])) end++;
        if (end == i + 1 && next == '\'' && (c == 'e' || c == 'E') && (x->bits & DBM_LEX_ESTRING)) {
            x->code = DBM__CODE_QUOTED;
            dbm__lex_take(x, DBM__TOKEN_QUOTED, dbm__lex_estring(s, n, i + 2));
        } else { /* after a dot every word is a name */
            x->code = x->previous == DBM__CODE_SIGN('.') ? (int)DBM__KW_NONE : dbm__lex_code(s + i, end - i);
            dbm__lex_take(x, DBM__TOKEN_WORD, end);
        }
    } else if (dbm__lex_is_digit(c)) {
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, DBM__TOKEN_VALUE, dbm__lex_name_end(s, n, i + 1));
    } else if (c == '\'' || c == '"' || (c == '`' && (x->bits & DBM_LEX_BACKTICKS)) ||
               (c == '[' && (x->bits & DBM_LEX_BRACKETS))) {
        if (c == '[') {
            const void *found = memchr(s + i + 1, ']', n - i - 1);
            end = found ? (size_t)((const char *)found - s) + 1 : 0;
        } else {
            end = dbm__lex_quoted(s, n, i + 1, c, backslash && c != '`');
        }
        x->code = DBM__CODE_QUOTED + (end ? dbm__lex_code(s + i + 1, end - i - 2) : 0);
        dbm__lex_take(x, DBM__TOKEN_QUOTED, end);
    } else if (c == '?') {
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, next == '?' ? DBM__TOKEN_ESCAPED : DBM__TOKEN_MARK, next == '?' ? i + 2 : i + 1);
    } else if (c == '$') {
        end = (x->bits & DBM_LEX_DOLLAR) ? dbm__lex_dollar(s, n, i) : SIZE_MAX;
        x->code = DBM__CODE_VALUE;
        if (end != SIZE_MAX) dbm__lex_take(x, DBM__TOKEN_QUOTED, end);
        else if (dbm__lex_is_digit(next)) {
            for (end = i + 1; end < n && dbm__lex_is_digit(s[end]); end++) { }
            dbm__lex_take(x, DBM__TOKEN_NUMBERED, end);
        } else dbm__lex_take(x, DBM__TOKEN_VALUE, dbm__lex_name_end(s, n, i + 1));
    } else if (c == '@') {
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, DBM__TOKEN_VALUE, dbm__lex_name_end(s, n, i + 1));
    } else if (c == ':' && dbm__lex_is_letter(next) && (i == 0 || !dbm__lex_is_word(s[i - 1]))) { /* a[low:high] is a slice */
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, DBM__TOKEN_NAMED, dbm__lex_name_end(s, n, i + 1));
    } else {
        dbm__lex_take(x, DBM__TOKEN_SIGN, c == ':' && (next == ':' || next == '=') ? i + 2 : i + 1);
    }
}

/* ---- where a statement ends ---------------------------------------------------------------------------------------- */

/* Which words may still open a body, whose `;` do not end the statement. */
typedef enum dbm__split_state {
    DBM__SPLIT_FIRST = 0,  /* before CREATE */
    DBM__SPLIT_CREATE,     /* between CREATE and TRIGGER */
    DBM__SPLIT_DEFINER,    /* the same, with a user's name between */
    DBM__SPLIT_HEAD,       /* BEGIN opens the body */
    DBM__SPLIT_HEAD_ATOMIC,/* BEGIN ATOMIC does */
    DBM__SPLIT_BODY,
    DBM__SPLIT_PLAIN       /* no body can follow */
} dbm__split_state;

typedef struct dbm__split {
    dbm__split_state state;
    size_t depth;   /* open parentheses */
    size_t blocks;  /* open BEGINs */
    bool ended;     /* the token before was an END that closed a block */
} dbm__split;

static dbm__split_state dbm__split_kind(const dbm__lex *x, dbm__split_state otherwise) {
    switch (x->code) {
    case DBM__KW_TRIGGER: return (x->bits & DBM_LEX_DOLLAR) ? DBM__SPLIT_PLAIN : DBM__SPLIT_HEAD;
    case DBM__KW_FUNCTION:
    case DBM__KW_PROCEDURE: return x->mysql ? DBM__SPLIT_HEAD : DBM__SPLIT_HEAD_ATOMIC;
    case DBM__KW_EVENT: return x->mysql ? DBM__SPLIT_HEAD : DBM__SPLIT_PLAIN;
    case DBM__KW_VIEW: return DBM__SPLIT_PLAIN;
    default: return otherwise;
    }
}

/* Inside a body. An END closes only where a statement begins: that tells it from the END of a CASE and, in SQLite, from a
 * column of this name. BEGIN counts only where blocks nest; elsewhere it is a name. */
static void dbm__split_body(dbm__split *p, const dbm__lex *x) {
    bool ended = p->ended;
    p->ended = false;
    if (ended && x->mysql && (x->code == DBM__KW_IF || x->code == DBM__KW_LOOP || x->code == DBM__KW_WHILE ||
                              x->code == DBM__KW_REPEAT || x->code == DBM__KW_CASE || x->code == DBM__KW_FOR)) {
        p->blocks++; /* it was END IF */
    } else if (x->code == DBM__KW_END && p->blocks && (x->previous == DBM__CODE_SIGN(';') || x->previous == DBM__KW_BEGIN ||
                                                       x->previous == DBM__KW_ATOMIC)) {
        p->blocks--;
        p->ended = true;
    } else if (x->code == DBM__KW_BEGIN && x->mysql) {
        p->blocks++;
    }
}

/* Hears every token but blanks; true: this `;` ends the statement. */
static bool dbm__split_feed(dbm__split *p, const dbm__lex *x) {
    if (x->code == DBM__CODE_SIGN('(')) p->depth++;
    else if (x->code == DBM__CODE_SIGN(')') && p->depth) p->depth--;
    else if (x->code == DBM__CODE_SIGN(';') && !p->depth && !p->blocks && !x->conditional) return true;
    switch (p->state) {
    case DBM__SPLIT_FIRST:
        if (x->code == DBM__KW_CREATE) p->state = DBM__SPLIT_CREATE;
        else if (x->code != DBM__KW_EXPLAIN && x->code != DBM__KW_QUERY && x->code != DBM__KW_PLAN) p->state = DBM__SPLIT_PLAIN;
        break;
    case DBM__SPLIT_CREATE:
        if (x->code == DBM__KW_DEFINER || x->code == DBM__KW_AGGREGATE) p->state = DBM__SPLIT_DEFINER;
        else if (x->code != DBM__KW_OR && x->code != DBM__KW_REPLACE && x->code != DBM__KW_TEMP &&
                 x->code != DBM__KW_TEMPORARY) {
            p->state = dbm__split_kind(x, DBM__SPLIT_PLAIN);
        }
        break;
    case DBM__SPLIT_DEFINER:
        p->state = dbm__split_kind(x, DBM__SPLIT_DEFINER);
        break;
    case DBM__SPLIT_HEAD:
    case DBM__SPLIT_HEAD_ATOMIC:
        if (x->code == (p->state == DBM__SPLIT_HEAD ? DBM__KW_BEGIN : DBM__KW_ATOMIC) &&
            (p->state == DBM__SPLIT_HEAD || x->previous == DBM__KW_BEGIN)) {
            p->state = DBM__SPLIT_BODY;
            p->blocks = 1;
        }
        break;
    case DBM__SPLIT_BODY:
        dbm__split_body(p, x);
        break;
    case DBM__SPLIT_PLAIN:
        break;
    }
    return false;
}

DBM__FN size_t dbm__sql_statement_end(const char *sql, size_t size, unsigned lexer, size_t *next) {
    dbm__lex x;
    dbm__split split;
    bool any = false;
    dbm__lex_begin(&x, sql, size, lexer);
    memset(&split, 0, sizeof split);
    for (;;) {
        dbm__lex_next(&x);
        switch (x.token) {
        case DBM__TOKEN_BLANK:
            break;
        case DBM__TOKEN_OPEN:
            any = true; /* to be refused, not to be skipped */
            /* fall through */
        case DBM__TOKEN_END:
            *next = size;
            return any ? size : 0;
        case DBM__TOKEN_WORD: case DBM__TOKEN_VALUE: case DBM__TOKEN_QUOTED: case DBM__TOKEN_MARK: case DBM__TOKEN_ESCAPED:
        case DBM__TOKEN_NUMBERED: case DBM__TOKEN_NAMED: case DBM__TOKEN_SIGN:
            if (dbm__split_feed(&split, &x)) {
                *next = x.at;
                return any ? x.start : 0;
            }
            any = true;
            break;
        }
    }
}

/* ---- what a statement does ----------------------------------------------------------------------------------------- */

typedef enum dbm__verb_state {
    DBM__VERBS_FIRST = 0,    /* before the first word */
    DBM__VERBS_SECOND,       /* the second word decides */
    DBM__VERBS_SELECT,       /* looks for INTO and FOR UPDATE */
    DBM__VERBS_WITH,         /* looks for the main verb, and for writing ones inside */
    DBM__VERBS_EXPLAIN,      /* looks for ANALYZE and the verb that is explained */
    DBM__VERBS_ANALYZE,      /* MariaDB's ANALYZE SELECT, or one of tables */
    DBM__VERBS_CREATE,       /* CREATE, DROP or ALTER, and the words up to the kind of object */
    DBM__VERBS_CREATE_NAME,  /* up to its name */
    DBM__VERBS_CREATE_TEMP,  /* after the word TEMP where the name should be: a dot makes it a schema */
    DBM__VERBS_PRAGMA,
    DBM__VERBS_PRAGMA_VALUE, /* journal_mode = here */
    DBM__VERBS_DONE
} dbm__verb_state;

/* How far a locking clause has come: FOR UPDATE, FOR SHARE, FOR NO KEY UPDATE, FOR KEY SHARE, LOCK IN SHARE MODE. */
enum { DBM__LOCKS_NONE = 0, DBM__LOCKS_FOR, DBM__LOCKS_NO, DBM__LOCKS_KEY, DBM__LOCKS_LOCK, DBM__LOCKS_IN };

typedef struct dbm__classify {
    dbm__verb_state state;
    dbm__verb verb;
    int first;            /* code of the first word */
    size_t depth, base;   /* open parentheses: now, and around the statement itself */
    int locks;
    bool analyze;         /* EXPLAIN ANALYZE */
    bool writes;          /* a SELECT that writes or locks rows */
    bool connection;      /* a SELECT that leaves something behind in the connection */
    const char *pragma;
    size_t pragma_size;
} dbm__classify;

/* Pragmas of SQLite. With a value they change the connection, but for these: */
static const char dbm__pragma_reads[] =
    "TABLE_INFO TABLE_XINFO TABLE_LIST INDEX_LIST INDEX_INFO INDEX_XINFO FOREIGN_KEY_LIST FOREIGN_KEY_CHECK INTEGRITY_CHECK "
    "QUICK_CHECK COMPILE_OPTIONS COLLATION_LIST DATABASE_LIST FUNCTION_LIST MODULE_LIST PRAGMA_LIST DATA_VERSION "
    "FREELIST_COUNT PAGE_COUNT ";
/* they change the file, for everybody and for ever, which a reset of the connection neither can nor should undo: */
static const char dbm__pragma_writes[] =
    "USER_VERSION APPLICATION_ID SCHEMA_VERSION AUTO_VACUUM ENCODING PAGE_SIZE DEFAULT_CACHE_SIZE ";
/* and these do so without a value too. */
static const char dbm__pragma_acts[] = "WAL_CHECKPOINT INCREMENTAL_VACUUM OPTIMIZE ";

static void dbm__classify_done(dbm__classify *v, dbm__verb verb) {
    v->verb = verb;
    v->state = DBM__VERBS_DONE;
}

static void dbm__classify_first(dbm__classify *v, const dbm__lex *x) {
    if (x->code == DBM__CODE_SIGN('(')) { /* (SELECT ...) UNION ... */
        v->base = v->depth;
        return;
    }
    if (x->token != DBM__TOKEN_WORD) {
        dbm__classify_done(v, DBM__VERB_OTHER);
        return;
    }
    v->verb = dbm__kw_table[x->code].verb;
    v->first = x->code;
    switch (x->code) {
    case DBM__KW_SELECT: case DBM__KW_VALUES: case DBM__KW_TABLE: v->state = DBM__VERBS_SELECT; break;
    case DBM__KW_WITH: v->state = DBM__VERBS_WITH; break;
    case DBM__KW_EXPLAIN: case DBM__KW_DESCRIBE: case DBM__KW_DESC: v->state = DBM__VERBS_EXPLAIN; break;
    case DBM__KW_ANALYZE: case DBM__KW_ANALYSE: v->state = DBM__VERBS_ANALYZE; break;
    case DBM__KW_CREATE: case DBM__KW_DROP: case DBM__KW_ALTER: v->state = DBM__VERBS_CREATE; break;
    case DBM__KW_PRAGMA: v->state = DBM__VERBS_PRAGMA; break;
    case DBM__KW_SET: case DBM__KW_START: case DBM__KW_PREPARE: case DBM__KW_LOAD: case DBM__KW_BEGIN:
        v->state = DBM__VERBS_SECOND;
        break;
    default: v->state = DBM__VERBS_DONE; break;
    }
}

static void dbm__classify_second(dbm__classify *v, const dbm__lex *x) {
    dbm__verb verb = v->verb;
    switch (v->first) {
    case DBM__KW_SET: /* PostgreSQL's LOCAL ends with the transaction; MySQL's does not */
        if ((x->bits & DBM_LEX_DOLLAR) &&
            (x->code == DBM__KW_LOCAL || x->code == DBM__KW_CONSTRAINTS || x->code == DBM__KW_TRANSACTION)) {
            verb = DBM__VERB_READ;
        }
        break;
    case DBM__KW_START: /* not START REPLICA */
        if (x->code != DBM__KW_TRANSACTION) verb = DBM__VERB_OTHER;
        break;
    case DBM__KW_BEGIN: /* not MariaDB's block, BEGIN NOT ATOMIC */
        if (x->code == DBM__KW_NOT) verb = DBM__VERB_OTHER;
        break;
    case DBM__KW_PREPARE: /* of two-phase commit */
        if (x->code == DBM__KW_TRANSACTION) verb = DBM__VERB_TRANSACTION;
        break;
    case DBM__KW_LOAD: /* MySQL's into a table; PostgreSQL's loads a library into the connection */
        if (x->code == DBM__KW_DATA || x->code == DBM__KW_XML || x->code == DBM__KW_INDEX) verb = DBM__VERB_WRITE;
        break;
    default:
        break;
    }
    dbm__classify_done(v, verb);
}

static void dbm__classify_select(dbm__classify *v, const dbm__lex *x) {
    int locks = DBM__LOCKS_NONE;
    switch (x->code) {
    case DBM__KW_INTO:
        v->writes = true;
        break;
    case DBM__KW_TEMP: case DBM__KW_TEMPORARY:
        if (x->previous == DBM__KW_INTO) v->connection = true;
        break;
    case DBM__KW_FOR: locks = DBM__LOCKS_FOR; break;
    case DBM__KW_LOCK: locks = DBM__LOCKS_LOCK; break;
    case DBM__KW_NO: if (v->locks == DBM__LOCKS_FOR) locks = DBM__LOCKS_NO; break;
    case DBM__KW_IN: if (v->locks == DBM__LOCKS_LOCK) locks = DBM__LOCKS_IN; break;
    case DBM__KW_KEY: if (v->locks == DBM__LOCKS_FOR || v->locks == DBM__LOCKS_NO) locks = DBM__LOCKS_KEY; break;
    case DBM__KW_UPDATE: case DBM__KW_SHARE: if (v->locks != DBM__LOCKS_NONE) v->writes = true; break;
    case DBM__CODE_SIGN('('):
        if (x->previous == DBM__KW_GET_LOCK || x->previous == DBM__KW_SET_CONFIG || x->previous == DBM__KW_PG_ADVISORY_LOCK ||
            x->previous == DBM__KW_PG_ADVISORY_LOCK_SHARED || x->previous == DBM__KW_PG_TRY_ADVISORY_LOCK ||
            x->previous == DBM__KW_PG_TRY_ADVISORY_LOCK_SHARED) {
            v->connection = true;
        }
        break;
    default: break;
    }
    v->locks = locks;
}

static void dbm__classify_with(dbm__classify *v, const dbm__lex *x) {
    bool changes = x->code == DBM__KW_INSERT || x->code == DBM__KW_UPDATE || x->code == DBM__KW_DELETE ||
                   x->code == DBM__KW_MERGE;
    dbm__classify_select(v, x);
    if (v->depth > v->base) { /* AS (INSERT ..., or AS (WITH ... AS (...) INSERT ... */
        if (changes && (x->previous == DBM__CODE_SIGN('(') || x->previous == DBM__CODE_SIGN(')'))) v->writes = true;
    } else if (x->previous != DBM__KW_WITH && x->previous != DBM__KW_RECURSIVE && x->previous != DBM__CODE_SIGN(',')) {
        /* There it would be the name of a table expression. */
        if (changes || x->code == DBM__KW_REPLACE) dbm__classify_done(v, DBM__VERB_WRITE);
        else if (x->code == DBM__KW_SELECT || x->code == DBM__KW_VALUES || x->code == DBM__KW_TABLE) {
            v->verb = DBM__VERB_READ;
            v->state = DBM__VERBS_SELECT;
        }
    }
}

static bool dbm__classify_explained(int code) {
    return code == DBM__KW_SELECT || code == DBM__KW_INSERT || code == DBM__KW_UPDATE || code == DBM__KW_DELETE ||
           code == DBM__KW_REPLACE || code == DBM__KW_MERGE || code == DBM__KW_WITH || code == DBM__KW_VALUES ||
           code == DBM__KW_TABLE || code == DBM__KW_CREATE || code == DBM__KW_DECLARE || code == DBM__KW_EXECUTE ||
           code == DBM__KW_REFRESH;
}

static void dbm__classify_create(dbm__classify *v, const dbm__lex *x) {
    switch (v->state) {
    case DBM__VERBS_CREATE:
        if (x->code == DBM__KW_TEMP || x->code == DBM__KW_TEMPORARY) dbm__classify_done(v, DBM__VERB_STATE);
        else if (x->code != DBM__KW_OR && x->code != DBM__KW_REPLACE && x->code != DBM__KW_LOCAL && x->code != DBM__KW_GLOBAL &&
                 x->code != DBM__KW_UNIQUE && x->code != DBM__KW_VIRTUAL) {
            v->state = DBM__VERBS_CREATE_NAME;
        }
        break;
    case DBM__VERBS_CREATE_NAME:
        if (x->code == DBM__KW_TEMP || x->code == DBM__KW_PG_TEMP || x->code == DBM__CODE_QUOTED + DBM__KW_TEMP) {
            v->state = DBM__VERBS_CREATE_TEMP;
        } else if (x->code != DBM__KW_IF && x->code != DBM__KW_NOT && x->code != DBM__KW_EXISTS) {
            v->state = DBM__VERBS_DONE;
        }
        break;
    default: /* CREATE_TEMP */
        dbm__classify_done(v, x->code == DBM__CODE_SIGN('.') ? DBM__VERB_STATE : v->verb);
        break;
    }
}

static void dbm__classify_pragma(dbm__classify *v, const dbm__lex *x) {
    if (v->state == DBM__VERBS_PRAGMA_VALUE) {
        /* WAL and DELETE stay with the file; the others last as long as the connection. */
        int word = x->code >= DBM__CODE_QUOTED ? x->code - DBM__CODE_QUOTED : x->code;
        dbm__classify_done(v, word == DBM__KW_WAL || word == DBM__KW_DELETE ? DBM__VERB_WRITE : DBM__VERB_STATE);
    } else if (x->token == DBM__TOKEN_WORD) { /* the name, after main. perhaps */
        v->pragma = x->sql + x->start;
        v->pragma_size = x->at - x->start;
        v->verb = dbm__lex_in(dbm__pragma_acts, v->pragma, v->pragma_size) ? DBM__VERB_WRITE : DBM__VERB_READ;
    } else if (x->code == DBM__CODE_SIGN('=') || x->code == DBM__CODE_SIGN('(')) {
        if (!v->pragma) dbm__classify_done(v, DBM__VERB_OTHER);
        else if (v->verb == DBM__VERB_WRITE || dbm__lex_in(dbm__pragma_reads, v->pragma, v->pragma_size)) {
            v->state = DBM__VERBS_DONE;
        } else if (dbm__lex_in("JOURNAL_MODE ", v->pragma, v->pragma_size)) {
            v->verb = DBM__VERB_STATE;
            v->state = DBM__VERBS_PRAGMA_VALUE;
        } else {
            bool file = dbm__lex_in(dbm__pragma_writes, v->pragma, v->pragma_size);
            dbm__classify_done(v, file ? DBM__VERB_WRITE : DBM__VERB_STATE);
        }
    }
}

/* Hears every token of the first statement but blanks. */
static void dbm__classify_feed(dbm__classify *v, const dbm__lex *x) {
    if (x->code == DBM__CODE_SIGN('(')) v->depth++;
    else if (x->code == DBM__CODE_SIGN(')') && v->depth) v->depth--;
    switch (v->state) {
    case DBM__VERBS_FIRST: dbm__classify_first(v, x); break;
    case DBM__VERBS_SECOND: dbm__classify_second(v, x); break;
    case DBM__VERBS_SELECT: dbm__classify_select(v, x); break;
    case DBM__VERBS_WITH: dbm__classify_with(v, x); break;
    case DBM__VERBS_EXPLAIN:
        if (x->code == DBM__KW_ANALYZE || x->code == DBM__KW_ANALYSE) v->analyze = true; /* (ANALYZE FALSE) is taken for true */
        if (v->depth == v->base && dbm__classify_explained(x->code)) {
            if (v->analyze) dbm__classify_first(v, x);
            else v->state = DBM__VERBS_DONE;
        }
        break;
    case DBM__VERBS_ANALYZE:
        if (dbm__classify_explained(x->code) && x->code != DBM__KW_TABLE) dbm__classify_first(v, x);
        else if (x->code != DBM__KW_FORMAT && x->previous != DBM__KW_FORMAT && x->previous != DBM__CODE_SIGN('=')) {
            v->state = DBM__VERBS_DONE;
        }
        break;
    case DBM__VERBS_CREATE: case DBM__VERBS_CREATE_NAME: case DBM__VERBS_CREATE_TEMP: dbm__classify_create(v, x); break;
    case DBM__VERBS_PRAGMA: case DBM__VERBS_PRAGMA_VALUE: dbm__classify_pragma(v, x); break;
    case DBM__VERBS_DONE: break;
    }
}

static dbm__verb dbm__classify_end(const dbm__classify *v) {
    if (v->verb == DBM__VERB_READ && v->connection) return DBM__VERB_STATE;
    if (v->verb == DBM__VERB_READ && v->writes) return DBM__VERB_WRITE;
    return v->verb;
}

/* ---- placeholders -------------------------------------------------------------------------------------------------- */

/* What a rewritten placeholder needs at most beyond the byte it had: " $65535 " in the place of "?". */
#define DBM__SQL_GROWTH 7

typedef struct dbm__rewrite {
    const dbm__lex *x;
    const char *database, *site;
    dbm_placeholders placeholders;
    bool named;
    bool marked;           /* a ? was seen */
    bool numbered;         /* a $1 was seen */
    dbm__parsed *out;
    size_t copied;         /* of the text that came */
    uint32_t *slots;       /* numbers of names, by hash; 0: free */
    size_t slot_count;     /* a power of two, at least twice the names */
    size_t name_bytes;
} dbm__rewrite;

DBM__FN int dbm__sql_line(const char *sql, size_t position) {
    int line = 1;
    size_t at = 0;
    while (at < position && line < INT_MAX) {
        const void *found = memchr(sql + at, '\n', position - at);
        if (!found) break;
        at = (size_t)((const char *)found - sql) + 1;
        line++;
    }
    return line;
}

/* In characters of UTF-8, from 1. */
static int dbm__sql_column(const char *sql, size_t position) {
    int column = 1;
    while (position-- && sql[position] != '\n' && column < INT_MAX) {
        if (((unsigned char)sql[position] & 0xC0u) != 0x80u) column++;
    }
    return column;
}

static dbm_status dbm__sql_refuse(const dbm__rewrite *w, dbm_status status, size_t position, const char *what,
                                  const char *cure) {
    return dbm__fail(status, DBM_STAGE_STATEMENT, w->database, w->site, "line %d, column %d of the SQL: %s%s",
                     dbm__sql_line(w->x->sql, position), dbm__sql_column(w->x->sql, position), what, cure);
}

static dbm_status dbm__sql_too_many(const dbm__rewrite *w) {
    return dbm__sql_refuse(w, DBM_E_LIMIT, w->x->start, "more than 65535 placeholders; a bulk takes any number of rows", "");
}

static void dbm__rewrite_put(dbm__rewrite *w, const char *text, size_t size) {
    if (!size) return;
    memcpy(w->out->sql + w->out->size, text, size);
    w->out->size += size;
}

/* All up to the token in hand, which is left out. */
static void dbm__rewrite_flush(dbm__rewrite *w) {
    dbm__rewrite_put(w, w->x->sql + w->copied, w->x->start - w->copied);
    w->copied = w->x->at;
}

/* $n in the place of the token in hand, kept apart from words: SELECT? is two words, SELECT$1 would be one. */
static void dbm__rewrite_number(dbm__rewrite *w, int number) {
    char digits[12];
    size_t at = sizeof digits;
    dbm__rewrite_flush(w);
    if (w->out->size && dbm__lex_is_word(w->out->sql[w->out->size - 1])) dbm__rewrite_put(w, " ", 1);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    digits[--at] = '$';
    dbm__rewrite_put(w, digits + at, sizeof digits - at);
    if (w->copied < w->x->size && dbm__lex_is_word(w->x->sql[w->copied])) dbm__rewrite_put(w, " ", 1);
}

/* The number of a name, a new one for a new name. The first free slot is noted in *slot when it is new. */
static int dbm__rewrite_find(const dbm__rewrite *w, const char *name, size_t size, size_t *slot) {
    uint32_t hash = 2166136261u;
    size_t i;
    for (i = 0; i < size; i++) hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    for (i = hash & (w->slot_count - 1); w->slots[i]; i = (i + 1) & (w->slot_count - 1)) {
        const dbm__place *p = &w->out->places[w->slots[i] - 1];
        if (p->size == size && memcmp(p->name, name, size) == 0) return (int)w->slots[i];
    }
    *slot = i;
    return 0;
}

static dbm_status dbm__rewrite_name(dbm__rewrite *w) {
    const char *name = w->x->sql + w->x->start + 1;
    size_t size = w->x->at - w->x->start - 1, slot = 0;
    int number = w->slots ? dbm__rewrite_find(w, name, size, &slot) : 0;
    if (!number) {
        if (w->out->parameters == DBM__SQL_MAX_PARAMETERS) return dbm__sql_too_many(w);
        w->out->places[w->out->parameters].name = name; /* in the user's text until all are known */
        w->out->places[w->out->parameters].size = size;
        w->name_bytes += size;
        number = ++w->out->parameters;
        if (w->slots) w->slots[slot] = (uint32_t)number;
    }
    if (w->placeholders == DBM_PH_DOLLAR) {
        dbm__rewrite_number(w, number);
    } else {
        dbm__rewrite_flush(w);
        dbm__rewrite_put(w, "?", 1);
    }
    return DBM_OK;
}

static dbm_status dbm__rewrite_mark(dbm__rewrite *w) {
    const dbm__lex *x = w->x;
    if (x->at < x->size && dbm__lex_is_digit(x->sql[x->at])) {
        char what[32];
        size_t end = x->at;
        dbm__text t = dbm__text_in(what, sizeof what);
        while (end < x->size && end - x->start < 10 && dbm__lex_is_digit(x->sql[end])) end++;
        dbm__put(&t, "write ? instead of ");
        dbm__put_n(&t, x->sql + x->start, end - x->start);
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, what, w->named ? "; with dbm_named() values, write :name" : "");
    }
    if (w->named) {
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "? beside values with names; write :name",
                               ", or ?? for an operator that has a question mark");
    }
    if (w->numbered) {
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "? beside $1; write one of the two",
                               ", or ?? for an operator that has a question mark");
    }
    if (w->out->parameters == DBM__SQL_MAX_PARAMETERS) return dbm__sql_too_many(w);
    w->marked = true;
    w->out->parameters++;
    if (w->placeholders == DBM_PH_DOLLAR) dbm__rewrite_number(w, w->out->parameters);
    return DBM_OK;
}

static dbm_status dbm__rewrite_numbered(dbm__rewrite *w) {
    const dbm__lex *x = w->x;
    size_t i;
    int number = 0;
    if (w->named) return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "$1 beside values with names; write :name", "");
    if (w->placeholders != DBM_PH_DOLLAR) return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "write ? instead of $1", "");
    if (w->marked) {
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "$1 beside ?; write one of the two",
                               ", and ?? for an operator that has a question mark");
    }
    for (i = x->start + 1; i < x->at && number <= DBM__SQL_MAX_PARAMETERS; i++) number = number * 10 + (x->sql[i] - '0');
    if (!number) return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "placeholders are numbered from $1", "");
    if (number > DBM__SQL_MAX_PARAMETERS) return dbm__sql_too_many(w);
    w->numbered = true;
    if (w->out->parameters < number) w->out->parameters = number;
    return DBM_OK;
}

/* Hears every token but blanks. */
static dbm_status dbm__rewrite_feed(dbm__rewrite *w) {
    if (w->placeholders == DBM_PH_NATIVE) return DBM_OK;
    switch (w->x->token) {
    case DBM__TOKEN_MARK: return dbm__rewrite_mark(w);
    case DBM__TOKEN_NUMBERED: return dbm__rewrite_numbered(w);
    case DBM__TOKEN_NAMED: return w->named ? dbm__rewrite_name(w) : DBM_OK;
    case DBM__TOKEN_ESCAPED:
        dbm__rewrite_flush(w);
        dbm__rewrite_put(w, "?", 1);
        return DBM_OK;
    case DBM__TOKEN_END: case DBM__TOKEN_BLANK: case DBM__TOKEN_WORD: case DBM__TOKEN_VALUE: case DBM__TOKEN_QUOTED:
    case DBM__TOKEN_SIGN: case DBM__TOKEN_OPEN:
        break;
    }
    return DBM_OK;
}

/* How often a byte occurs, up to the number of placeholders that may be. */
static size_t dbm__sql_count(const char *sql, size_t size, char byte) {
    size_t at, count = 0;
    for (at = 0; at < size && count < DBM__SQL_MAX_PARAMETERS; at++) count += sql[at] == byte;
    return count;
}

/* The blocks that the result lives in. They are made as large as the text can need, so that none has to grow. */
static bool dbm__rewrite_room(dbm__host *host, dbm__rewrite *w) {
    const dbm__lex *x = w->x;
    size_t names = 0, growth = 0;
    if (x->size > SIZE_MAX / 16) return false;
    if (w->placeholders != DBM_PH_NATIVE && w->named) names = dbm__sql_count(x->sql, x->size, ':');
    if (w->placeholders == DBM_PH_DOLLAR) {
        /* A name that comes a second time keeps its number, so names may be more than placeholders may. */
        growth = w->named ? names : dbm__sql_count(x->sql, x->size, '?');
        if (w->named && names == DBM__SQL_MAX_PARAMETERS) growth = x->size;
        growth *= DBM__SQL_GROWTH;
    }
    w->out->sql = (char *)dbm__alloc(host, x->size + growth + 1);
    if (!w->out->sql) return false;
    if (!names) return true;
    w->out->places = (dbm__place *)dbm__alloc(host, names * sizeof(dbm__place));
    if (!w->out->places) return false;
    if (w->placeholders != DBM_PH_DOLLAR) return true;
    for (w->slot_count = 4; w->slot_count < names * 2; w->slot_count *= 2) { }
    w->slots = (uint32_t *)dbm__alloc_zero(host, w->slot_count * sizeof(uint32_t));
    return w->slots != NULL;
}

/* The names move out of the user's text into a block of their own. */
static bool dbm__rewrite_names(dbm__host *host, dbm__rewrite *w) {
    dbm__parsed *out = w->out;
    char *at;
    int i;
    if (!out->parameters || !out->places) {
        dbm__free(host, out->places);
        out->places = NULL;
        return true;
    }
    out->names = at = (char *)dbm__alloc(host, w->name_bytes);
    if (!at) return false;
    for (i = 0; i < out->parameters; i++) {
        memcpy(at, out->places[i].name, out->places[i].size);
        out->places[i].name = at;
        at += out->places[i].size;
    }
    return true;
}

/* ---- the statement ------------------------------------------------------------------------------------------------- */

static dbm_status dbm__sql_not_closed(const dbm__rewrite *w) {
    const char *what = "the text in '...'";
    switch (w->x->sql[w->x->start]) {
    case '"': what = "the text in \"...\""; break;
    case '`': what = "the name in `...`"; break;
    case '[': what = "the name in [...]"; break;
    case '$': what = "the text in $tag$...$tag$"; break;
    case '/': what = "the comment /*...*/"; break;
    default: break;
    }
    return dbm__sql_refuse(w, DBM_E_MISUSE, w->x->start, what, " that begins here is not closed");
}

DBM__FN dbm_status dbm__sql_parse(dbm__host *host, const char *sql, size_t size, dbm_placeholders placeholders, unsigned lexer,
                                  bool named, const char *database, const char *site, dbm__parsed *out) {
    dbm__lex x;
    dbm__split split;
    dbm__classify verbs;
    dbm__rewrite w;
    dbm_status status = DBM_OK;
    const void *nul;
    bool any = false, ended = false;

    memset(out, 0, sizeof *out);
    memset(&split, 0, sizeof split);
    memset(&verbs, 0, sizeof verbs);
    memset(&w, 0, sizeof w);
    dbm__lex_begin(&x, sql, size, lexer);
    w.x = &x;
    w.database = database;
    w.site = site;
    w.placeholders = placeholders;
    w.named = named;
    w.out = out;
    if (!sql) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "the SQL is NULL");
    nul = size ? memchr(sql, 0, size) : NULL;
    if (nul) {
        return dbm__sql_refuse(&w, DBM_E_MISUSE, (size_t)((const char *)nul - sql),
                               "a byte 0 within the statement; pass such data as a value", "");
    }
    if (!dbm__rewrite_room(host, &w)) goto no_memory;

    for (;;) {
        dbm__lex_next(&x);
        if (x.token == DBM__TOKEN_BLANK) continue;
        if (x.token == DBM__TOKEN_OPEN) {
            if (placeholders != DBM_PH_NATIVE) status = dbm__sql_not_closed(&w);
            else dbm__classify_done(&verbs, DBM__VERB_OTHER); /* another language, with quotes of its own */
        }
        if (x.token == DBM__TOKEN_OPEN || x.token == DBM__TOKEN_END) break;
        if (!ended && dbm__split_feed(&split, &x)) {
            if (any) ended = true;
            continue;
        }
        if (x.code == DBM__CODE_SIGN(';') && ended) continue;
        any = true;
        out->several = ended;
        if (!ended) dbm__classify_feed(&verbs, &x);
        if (x.code == DBM__KW_RETURNING) out->returning = true;
        if (x.code == DBM__CODE_SIGN('(')) { /* "random"() calls it too */
            int called = x.previous % DBM__CODE_QUOTED;
            if (called == DBM__KW_RANDOM || called == DBM__KW_RANDOMBLOB) out->random = true;
        }
        status = dbm__rewrite_feed(&w);
        if (status != DBM_OK) break;
    }
    if (status != DBM_OK) goto fail;

    dbm__rewrite_put(&w, sql + w.copied, size - w.copied);
    out->sql[out->size] = '\0';
    if (!dbm__rewrite_names(host, &w)) goto no_memory;
    if (placeholders == DBM_PH_NATIVE) out->parameters = -1;
    out->verb = dbm__classify_end(&verbs);
    if (out->several && out->verb == DBM__VERB_READ) out->verb = DBM__VERB_OTHER; /* what follows was not looked at */
    dbm__free(host, w.slots);
    return DBM_OK;

no_memory:
    status = dbm__no_memory(DBM_STAGE_STATEMENT, database, site);
fail:
    dbm__free(host, w.slots);
    dbm__parsed_free(host, out);
    return status;
}

DBM__FN void dbm__parsed_free(dbm__host *host, dbm__parsed *parsed) {
    if (!parsed) return;
    dbm__free(host, parsed->sql);
    dbm__free(host, parsed->places);
    dbm__free(host, parsed->names);
    memset(parsed, 0, sizeof *parsed);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__sql_ident(char *block, size_t capacity, const char *name, char quote) {
    size_t needed = 3, at = 0, i;
    if (block && capacity) block[0] = '\0'; /* "" is no name in any SQL: an unchecked failure can't name the wrong table */
    if (!name || !name[0]) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, "", "", "a name is %s", name ? "empty" : "NULL");
    }
    for (i = 0; name[i]; i++) needed += name[i] == quote ? 2u : 1u;
    if (!block || capacity < needed) {
        return dbm__fail(DBM_E_RANGE, DBM_STAGE_STATEMENT, "", "", "the quoted name needs %z bytes, the buffer has %z", needed,
                         block ? capacity : (size_t)0);
    }
    block[at++] = quote;
    for (i = 0; name[i]; i++) {
        if (name[i] == quote) block[at++] = quote;
        block[at++] = name[i];
    }
    block[at++] = quote;
    block[at] = '\0';
    return DBM_OK;
}
/* --- end src/sql/lexer.c --- */
/* --- begin src/sql/sql.h --- */
/* Statements of a connection and values of a row: the cache of prepared statements, the decoding of variadic values, conversions.
 * May call: api/, base/, adapter/.
 * Must not know: sessions and pools. */
#ifndef DBM__SQL_H
#define DBM__SQL_H

#ifdef __cplusplus
extern "C" {
#endif

#define DBM__MAX_VALUES 64  /* of one call; the macros pass 32 at most */

/* One cached statement, in one block with its texts. Entries hang in a hash chain by text and in a list by age. */
typedef struct dbm__entry {
    dbm_prepared prepared;           /* what the adapter sees; first, so that a pointer to it is a pointer to the entry */
    struct dbm__entry *next_hash, *newer, *older;
    char *text;                      /* as the user wrote it */
    size_t text_size;
    uint32_t hash;
    int uses;                        /* open results and handles; an entry in use is neither evicted nor shared if it is `single` */
    bool named;                      /* parsed for dbm_named() values */
    bool cached;                     /* in the cache, else to be dropped after its use */
    bool random;                     /* see dbm__parsed */
    bool plain;                      /* prepared, reads, and by position: the short way in session/ may run it */
    dbm__verb verb;
    dbm__place *places;              /* named: the name of each placeholder */
} dbm__entry;

enum { DBM__HINT_BITS = 7, DBM__HINTS = 1 << DBM__HINT_BITS };
enum { DBM__CACHE_TEXT_MAX = 65536 }; /* longer texts are bulks written out: they are not kept */
typedef struct dbm__cache {
    dbm__entry **chains;             /* behind this struct, in the same block */
    size_t chain_count;              /* a power of two */
    dbm__entry *newest, *oldest;
    int count, limit;
    dbm__entry *hints[DBM__HINTS];   /* by the address of the user's text, where it was found last. A guess: the texts decide */
} dbm__cache;

/* limit: prepared statements kept; 0 or less: none, each is dropped after its use. */
DBM__FN dbm_status dbm__cache_make(dbm_connection *c, int limit);
/* Unprepares, if the connection is open, and frees all entries that are cached, in use or not. NULL caches are allowed. */
DBM__FN void dbm__cache_free(dbm_connection *c);
/* The entry of this text, prepared (as far as the adapter prepares), its `uses` raised by one.
 * Errors of parsing and preparing are this thread's last failure; the cache is then as it was. */
DBM__FN dbm_status dbm__cache_take(dbm_connection *c, const char *sql, bool named, int64_t deadline_us, const char *site,
                                   dbm__entry **out);
/* The low half of the address times the golden ratio; the highest bits of that depend on all of it. */
DBM__INLINE unsigned dbm__cache_hint(const char *sql) { return (uint32_t)(uintptr_t)sql * 2654435769u >> (32 - DBM__HINT_BITS); }

DBM__INLINE bool dbm__cache_serves(const dbm__entry *e, bool named) {
    return e->named == named && !(e->uses > 0 && e->prepared.single);
}
DBM__FN void dbm__cache_touch(dbm__cache *k, dbm__entry *e); /* to the newest end */
/* The hit by address alone, for the hot path: an entry that serves positional values, its use counted, or NULL. */
DBM__INLINE dbm__entry *dbm__cache_quick(dbm_connection *c, const char *sql) {
    dbm__cache *k = c->cache;
    dbm__entry *e = k->hints[dbm__cache_hint(sql)];
    if (DBM__UNLIKELY(e == NULL || !dbm__cache_serves(e, false) || strcmp(e->text, sql) != 0)) return NULL;
    if (DBM__UNLIKELY(k->newest != e)) dbm__cache_touch(k, e);
    e->uses++;
    dbm__store(&c->cache_hits, dbm__load(&c->cache_hits) + 1u);
    return e;
}
/* Ends a use. Never changes this thread's last failure. */
DBM__FN void dbm__cache_give(dbm_connection *c, dbm__entry *e);

/* Variadic values by their codes, into `out` (room for DBM__MAX_VALUES). *named tells whether dbm_named() values are among them.
 * Sizes of texts are filled in. Errors: E_LIMIT, E_MISUSE (a pointer that is no text; its type is then DBM_TYPE_INVALID). */
DBM__FN dbm_status dbm__values_read(dbm_value *out, int *count, bool *named, const char *codes, va_list ap);
/* Integers alone, in a few instructions; -1 when there is anything else, or more than `room`. */
DBM__INLINE int dbm__values_numbers(dbm_value *out, int room, const char *codes, va_list *ap) {
    int n = 0;
    for (; *codes != 0; codes++, n++) {
        if (DBM__UNLIKELY(n == room)) return -1;
        out[n].name = NULL;
        out[n].type = DBM_TYPE_INT;
        if (*codes == 'l') out[n].as.integer = va_arg(*ap, long);
        else if (*codes == 'i') out[n].as.integer = va_arg(*ap, int);
        else if (*codes == 'q') out[n].as.integer = va_arg(*ap, long long);
        else return -1;
    }
    return n;
}
/* The same for values from an array; names beside values without one are refused too. */
DBM__FN dbm_status dbm__values_check(dbm_value *values, int count, const char *database, const char *site);
/* Values by name brought into the order of the placeholders: e->prepared.parameters of them in `out` (room for DBM__MAX_VALUES), which
 * may be more than `count`, for a name may stand in several places. Where parameters is -1, the statement being the backend's own,
 * they stay as they are: `count` of them, with their names. Errors: E_MISUSE, E_LIMIT. */
DBM__FN dbm_status dbm__values_order(const dbm__entry *e, const dbm_value *in, int count, dbm_value *out, const char *database,
                                     const char *site);

/* Conversions of one column's value. On failure (E_RANGE) the result is 0 or "", and *why says what was wrong, to be put behind the
 * column's name: "is NULL", "300 does not fit int8_t". Of a text that is no number it tells the size only: it may be a secret. */
typedef struct dbm__why { char text[160]; } dbm__why;
DBM__FN dbm_status dbm__to_int(const dbm_value *v, int64_t min, int64_t max, int64_t *out, dbm__why *why);
DBM__FN dbm_status dbm__to_uint(const dbm_value *v, uint64_t max, uint64_t *out, dbm__why *why);
DBM__FN dbm_status dbm__to_double(const dbm_value *v, double *out, dbm__why *why);
DBM__FN dbm_status dbm__to_bool(const dbm_value *v, bool *out, dbm__why *why);
DBM__FN dbm_status dbm__to_timestamp(const dbm_value *v, int64_t *out, dbm__why *why);
/* As text, in `block` when it has to be written out (room for 64 bytes). NULL is "". */
DBM__FN const char *dbm__to_text(const dbm_value *v, char *block, size_t capacity, size_t *size);
/* One value to one target of a scan or a field of a model: writes it in every case. `text_block` (64 bytes) is for DBM__TO_TEXT of a
 * value that is no text, and must live as long as the target; without it that is an error.
 * NULL: const char * gets NULL, char[N] "", dbm_bytes {NULL, 0}, optionals has = false; plain numbers and bools fail. */
DBM__FN dbm_status dbm__to_target(const dbm_value *v, const dbm_target *t, char *text_block, size_t text_capacity, dbm__why *why);
/* "2024-02-29 12:34:56.789012" of microseconds since 1970, without the fraction when it is 0; and back, from that, ISO 8601 with T, Z
 * and offsets, and date alone. Years 0001 to 9999; beyond them it writes "+010000-...", which is not read. */
DBM__FN void dbm__timestamp_write(int64_t us, char block[32]);
DBM__FN bool dbm__timestamp_read(const char *text, size_t size, int64_t *us);
/* Shortest text that reads back as the same double; "inf", "-inf", "nan". */
DBM__FN void dbm__double_write(double v, char block[40]);
DBM__FN bool dbm__double_read(const char *text, size_t size, double *out);

#ifdef __cplusplus
}
#endif
#endif /* DBM__SQL_H */
/* --- end src/sql/sql.h --- */
/* --- begin src/sql/values.c --- */
/* Values: decoding variadic arguments, putting named ones in order, and conversions that either keep everything or fail.
 * May call: api/, base/, sql.h.
 * Must not know: rows, sessions, backends. Nothing here allocates; nothing here follows the program's locale. */
#if DBM__FLOAT
#  include <float.h>
#  if DBL_MANT_DIG != 53 || DBL_MAX_EXP != 1024 || FLT_RADIX != 2
#    error "dbm: double is not the 64-bit IEEE 754 format here. Define DBM_NO_FLOAT"
#  endif
#endif

/* ---- arguments ----------------------------------------------------------------------------------------------------- */

DBM__INLINE bool dbm__is_text(dbm_type type) {
    return type >= DBM_TYPE_TEXT && type != DBM_TYPE_TIMESTAMP && type < DBM_TYPE_INVALID;
}

/* Makes a value that a user made as backends expect it. False: it is none. */
static bool dbm__value_complete(dbm_value *v) {
    switch (v->type) {
    case DBM_TYPE_NULL: case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_DOUBLE: case DBM_TYPE_TIMESTAMP: return true;
    case DBM_TYPE_BOOL:
        v->as.integer = v->as.integer != 0;
        return true;
    case DBM_TYPE_TEXT: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
        if (DBM__LIKELY(v->as.text.data != NULL)) {
            if (v->as.text.size == SIZE_MAX) v->as.text.size = strlen(v->as.text.data);
            return true;
        }
        if (v->as.text.size && v->as.text.size != SIZE_MAX) return false;
        v->type = DBM_TYPE_NULL; /* as everywhere, a null pointer is SQL NULL */
        v->as.text.size = 0;
        return true;
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return false;
}

static DBM__NOINLINE dbm_status dbm__value_bad(int number, const char *database, const char *site) {
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site,
                     "value %d is no value: a pointer that is not a text, or a text without data. Bytes are passed as dbm_blob(p, n)",
                     number);
}

/* The codes are those of DBM__CODE in api/session.h. */
DBM__FN dbm_status dbm__values_read(dbm_value *out, int *count, bool *named, const char *codes, va_list ap) {
    dbm_value *v = out;
    bool any = false;
    int bad = 0;
    for (; *codes; codes++, v++) {
        if (DBM__UNLIKELY(v == out + DBM__MAX_VALUES)) {
            *count = 0;
            *named = false;
            return dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, "", "",
                             "more than %d values in one call", DBM__MAX_VALUES);
        }
        v->name = NULL;
        switch (*codes) {
        case 'i': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, int); break;
        case 's':
            v->as.text.data = va_arg(ap, const char *);
            v->type = v->as.text.data ? DBM_TYPE_TEXT : DBM_TYPE_NULL;
            v->as.text.size = v->as.text.data ? strlen(v->as.text.data) : 0;
            break;
        case 'l': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, long); break;
        case 'q': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, long long); break;
        case 'd': v->type = DBM_TYPE_DOUBLE; v->as.real = va_arg(ap, double); break;
        case 'b': v->type = DBM_TYPE_BOOL; v->as.integer = va_arg(ap, int) != 0; break;
        case 'u': v->type = DBM_TYPE_INT; v->as.integer = (int64_t)va_arg(ap, unsigned); break;
        case 'm': v->type = DBM_TYPE_UINT; v->as.uinteger = va_arg(ap, unsigned long); break;
        case 'r': v->type = DBM_TYPE_UINT; v->as.uinteger = va_arg(ap, unsigned long long); break;
        case 'p': /* NULL itself; another pointer has no meaning to a database */
            v->type = va_arg(ap, const void *) ? DBM_TYPE_INVALID : DBM_TYPE_NULL;
            v->as.integer = 0;
            break;
        case 'v':
            *v = va_arg(ap, dbm_value);
            if (v->name) any = true;
            if (!dbm__value_complete(v)) v->type = DBM_TYPE_INVALID;
            break;
        default: v->type = DBM_TYPE_INVALID; v->as.integer = 0; break;
        }
        if (DBM__UNLIKELY(v->type == DBM_TYPE_INVALID) && !bad) bad = (int)(v - out) + 1;
    }
    *count = (int)(v - out);
    *named = any;
    return DBM__LIKELY(!bad) ? DBM_OK : dbm__value_bad(bad, "", "");
}

static DBM__NOINLINE dbm_status dbm__values_mixed(const dbm_value *values, int count, const char *database,
                                                  const char *site) {
    int i;
    const char *name = "";
    for (i = 0; i < count; i++) if (values[i].name) name = values[i].name;
    for (i = 0; i < count - 1 && values[i].name; i++) { }
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site,
                     "value %d has no name, but others have (%q); give all of them by dbm_named(), or none", i + 1, name);
}

DBM__FN dbm_status dbm__values_check(dbm_value *values, int count, const char *database, const char *site) {
    int i, names = 0;
    for (i = 0; i < count; i++) {
        names += values[i].name != NULL;
        if (DBM__UNLIKELY(!dbm__value_complete(&values[i]))) return dbm__value_bad(i + 1, database, site);
    }
    if (DBM__UNLIKELY(names != 0 && names != count)) return dbm__values_mixed(values, count, database, site);
    return DBM_OK;
}

static bool dbm__place_is(const dbm__place *p, const char *name) {
    return strncmp(p->name, name, p->size) == 0 && name[p->size] == 0;
}

/* A value that no placeholder asked for, with the placeholder that was probably meant. */
static DBM__NOINLINE dbm_status dbm__values_stray(const dbm__entry *e, const char *name, const char *database,
                                                  const char *site) {
    const char *best = NULL;
    char block[2][65]; /* longer names have no nearest */
    int i, at = 0;
    if (name[0] == ':') {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "dbm_named(\"%s\", ...): leave the colon out", name);
    }
    for (i = 0; i < e->prepared.parameters; i++) {
        const dbm__place *p = &e->places[i];
        const char *both[2];
        if (p->size >= sizeof block[0]) continue;
        memcpy(block[at], p->name, p->size);
        block[at][p->size] = 0;
        both[0] = best;
        both[1] = block[at];
        best = dbm__nearest(name, best ? both : both + 1, best ? 2 : 1);
        if (best == block[at]) at = 1 - at;
    }
    if (best) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site,
                         "the value %q has no placeholder in the statement; did you mean %q?", name, best);
    }
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "the value %q has no placeholder :%s in the statement",
                     name, name);
}

DBM__FN dbm_status dbm__values_order(const dbm__entry *e, const dbm_value *in, int count, dbm_value *out, const char *database,
                                     const char *site) {
    int i, j;
    for (i = 0; i < count; i++) {
        if (!in[i].name) return dbm__values_mixed(in, count, database, site);
        for (j = 0; j < i; j++) {
            if (strcmp(in[i].name, in[j].name) == 0) {
                return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "two values are named %q", in[i].name);
            }
        }
    }
    if (e->prepared.parameters > DBM__MAX_VALUES) {
        return dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, database, site,
                         "the statement has %d placeholders with names; at most %d can be", e->prepared.parameters, DBM__MAX_VALUES);
    }
    if (e->prepared.parameters < 0) { /* the statement is the backend's own: so are its names */
        if (count) memcpy(out, in, (size_t)count * sizeof *in);
        return DBM_OK;
    }
    for (j = 0; j < count; j++) {
        for (i = 0; i < e->prepared.parameters && !dbm__place_is(&e->places[i], in[j].name); i++) { }
        if (i == e->prepared.parameters) return dbm__values_stray(e, in[j].name, database, site);
    }
    for (i = 0; i < e->prepared.parameters; i++) {
        for (j = 0; j < count && !dbm__place_is(&e->places[i], in[j].name); j++) { }
        if (j == count) {
            char name[96];
            dbm__text t = dbm__text_in(name, sizeof name);
            dbm__put_n(&t, e->places[i].name, e->places[i].size);
            dbm__text_end(&t);
            return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site,
                             "the placeholder :%s has no value; pass dbm_named(\"%s\", ...)", name, name);
        }
        out[i] = in[j];
        out[i].name = NULL;
    }
    return DBM_OK;
}

/* ---- reasons ------------------------------------------------------------------------------------------------------- */

/* The value itself where it is a number, or a text that looks like one; of another text only the size: it may be a secret. */
static void dbm__why_value(dbm__text *t, const dbm_value *v) {
    char block[64];
    size_t size, i;
    const char *text = dbm__to_text(v, block, sizeof block, &size);
    switch (v->type) {
    case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_BOOL: dbm__put(t, text); return;
    case DBM_TYPE_DOUBLE: dbm__put(t, text[0] ? text : "a real number"); return;
    case DBM_TYPE_TIMESTAMP: dbm__putf(t, "the timestamp %s", text); return;
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_JSON:
        for (i = 0; i < size && i < 40 && ((text[i] >= '0' && text[i] <= '9') || memchr("+-.eE:", text[i], 6)); i++) { }
        if (i && i == size) dbm__put_n(t, text, size);
        else dbm__putf(t, v->type == DBM_TYPE_JSON ? "JSON of %z bytes" : "a text of %z bytes", size);
        return;
    case DBM_TYPE_BLOB: dbm__putf(t, "a blob of %z bytes", size); return;
    case DBM_TYPE_UUID: dbm__put(t, "a UUID"); return;
    case DBM_TYPE_NULL: dbm__put(t, "NULL"); return;
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    dbm__put(t, "the value");
}

static DBM__NOINLINE dbm_status dbm__why_not(dbm__why *why, const dbm_value *v, const char *what) {
    dbm__text t = dbm__text_in(why->text, sizeof why->text);
    if (v->type == DBM_TYPE_NULL) {
        dbm__put(&t, "is NULL");
    } else {
        dbm__why_value(&t, v);
        dbm__putf(&t, " %s", what);
    }
    dbm__text_end(&t);
    return DBM_E_RANGE;
}

/* "300 does not fit int8_t": the C type is known by its limits. */
static DBM__NOINLINE dbm_status dbm__why_range(dbm__why *why, const dbm_value *v, int64_t min, uint64_t max) {
    static const struct { int64_t min; uint64_t max; const char *name; } types[] = {
        { INT8_MIN, INT8_MAX, "int8_t" }, { INT16_MIN, INT16_MAX, "int16_t" }, { INT32_MIN, INT32_MAX, "int32_t" },
        { INT64_MIN, INT64_MAX, "int64_t" }, { 0, UINT8_MAX, "uint8_t" }, { 0, UINT16_MAX, "uint16_t" },
        { 0, UINT32_MAX, "uint32_t" }, { 0, UINT64_MAX, "uint64_t" }
    };
    dbm__text t = dbm__text_in(why->text, sizeof why->text);
    size_t i;
    dbm__why_value(&t, v);
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].min != min || types[i].max != max) continue;
        dbm__putf(&t, " does not fit %s", types[i].name);
        dbm__text_end(&t);
        return DBM_E_RANGE;
    }
    dbm__putf(&t, " is not within %l to %u", min, max);
    dbm__text_end(&t);
    return DBM_E_RANGE;
}

/* ---- integers ------------------------------------------------------------------------------------------------------ */

typedef enum dbm__whole_kind { DBM__WHOLE_NONE, DBM__WHOLE_FITS, DBM__WHOLE_LARGE } dbm__whole_kind;

/* An integer as a sign and a magnitude. A decimal may have a fraction of zeros: numeric(10, 2) writes 5 as 5.00. */
static dbm__whole_kind dbm__whole_read(const char *text, size_t size, bool decimal, bool *negative, uint64_t *magnitude) {
    uint64_t m = 0;
    bool large = false;
    size_t i = 0, first;
    *negative = size && text[0] == '-';
    if (size && (text[0] == '-' || text[0] == '+')) i = 1;
    for (first = i; i < size && text[i] >= '0' && text[i] <= '9'; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (m > (UINT64_MAX - digit) / 10u) large = true;
        else m = m * 10u + digit;
    }
    if (i == first) return DBM__WHOLE_NONE;
    if (decimal && i + 1 < size && text[i] == '.') for (i++; i < size && text[i] == '0'; i++) { }
    if (i != size) return DBM__WHOLE_NONE;
    *magnitude = m;
    return large ? DBM__WHOLE_LARGE : DBM__WHOLE_FITS;
}

static dbm__whole_kind dbm__whole_of(const dbm_value *v, bool *negative, uint64_t *magnitude) {
    switch (v->type) {
    case DBM_TYPE_INT: case DBM_TYPE_BOOL: case DBM_TYPE_TIMESTAMP:
        *negative = v->as.integer < 0;
        *magnitude = *negative ? 0u - (uint64_t)v->as.integer : (uint64_t)v->as.integer;
        return DBM__WHOLE_FITS;
    case DBM_TYPE_UINT:
        *negative = false;
        *magnitude = v->as.uinteger;
        return DBM__WHOLE_FITS;
    case DBM_TYPE_DOUBLE: {
#if DBM__FLOAT
        double d = v->as.real;
        *negative = d < 0;
        if (*negative) d = -d;
        if (!(d < 18446744073709551616.0)) return d != d || d > DBL_MAX ? DBM__WHOLE_NONE : DBM__WHOLE_LARGE;
        *magnitude = (uint64_t)d;
        return (double)*magnitude == d ? DBM__WHOLE_FITS : DBM__WHOLE_NONE; /* d is exact where it has no fraction */
#else
        return DBM__WHOLE_NONE;
#endif
    }
    case DBM_TYPE_TEXT: case DBM_TYPE_JSON: case DBM_TYPE_DECIMAL:
        return dbm__whole_read(v->as.text.data, v->as.text.size, v->type == DBM_TYPE_DECIMAL, negative, magnitude);
    case DBM_TYPE_NULL: case DBM_TYPE_BLOB: case DBM_TYPE_UUID: case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return DBM__WHOLE_NONE;
}

static DBM__NOINLINE dbm_status dbm__to_int_slow(const dbm_value *v, int64_t min, int64_t max, int64_t *out,
                                                 dbm__why *why) {
    bool negative = false;
    uint64_t m = 0;
    int64_t x;
    *out = 0;
    switch (dbm__whole_of(v, &negative, &m)) {
    case DBM__WHOLE_NONE: return dbm__why_not(why, v, "is not an integer");
    case DBM__WHOLE_LARGE: return dbm__why_range(why, v, min, (uint64_t)max);
    case DBM__WHOLE_FITS: break;
    }
    if (m > (uint64_t)INT64_MAX + (negative ? 1u : 0u)) return dbm__why_range(why, v, min, (uint64_t)max);
    x = !negative ? (int64_t)m : m ? -(int64_t)(m - 1) - 1 : 0;
    if (x < min || x > max) return dbm__why_range(why, v, min, (uint64_t)max);
    *out = x;
    return DBM_OK;
}

DBM__FN dbm_status dbm__to_int(const dbm_value *v, int64_t min, int64_t max, int64_t *out, dbm__why *why) {
    if (DBM__LIKELY(v->type == DBM_TYPE_INT && v->as.integer >= min && v->as.integer <= max)) {
        *out = v->as.integer;
        return DBM_OK;
    }
    return dbm__to_int_slow(v, min, max, out, why);
}

DBM__FN dbm_status dbm__to_uint(const dbm_value *v, uint64_t max, uint64_t *out, dbm__why *why) {
    bool negative = false;
    uint64_t m = 0;
    *out = 0;
    switch (dbm__whole_of(v, &negative, &m)) {
    case DBM__WHOLE_NONE: return dbm__why_not(why, v, "is not an integer");
    case DBM__WHOLE_LARGE: return dbm__why_range(why, v, 0, max);
    case DBM__WHOLE_FITS: break;
    }
    if (m > max || (negative && m)) return dbm__why_range(why, v, 0, max);
    *out = m;
    return DBM_OK;
}

/* ---- real numbers, bools, timestamps -------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__to_double(const dbm_value *v, double *out, dbm__why *why) {
#if DBM__FLOAT
    bool negative = false;
    uint64_t m = 0, odd;
#endif
    if (DBM__LIKELY(v->type == DBM_TYPE_DOUBLE)) {
        *out = v->as.real;
        return DBM_OK;
    }
    *out = 0;
    switch (v->type) {
#if DBM__FLOAT
    case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_BOOL:
        dbm__whole_of(v, &negative, &m);
        for (odd = m; odd >> 53 && !(odd & 1u); odd >>= 1) { }
        if (odd >> 53) return dbm__why_not(why, v, "would lose digits in a double");
        *out = negative ? -(double)m : (double)m;
        return DBM_OK;
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_JSON:
        if (dbm__double_read(v->as.text.data, v->as.text.size, out)) return DBM_OK;
        return dbm__why_not(why, v, "is not a number that fits double");
#else
    case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_BOOL: case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL:
    case DBM_TYPE_JSON:
        return dbm__why_not(why, v, "can't be made a double: DBM_NO_FLOAT");
#endif
    case DBM_TYPE_NULL: case DBM_TYPE_DOUBLE: case DBM_TYPE_BLOB: case DBM_TYPE_TIMESTAMP: case DBM_TYPE_UUID:
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return dbm__why_not(why, v, "is not a number");
}

DBM__FN dbm_status dbm__to_bool(const dbm_value *v, bool *out, dbm__why *why) {
    static const char *const words[] = { "false", "true", "f", "t", "0", "1", "no", "yes", "off", "on" };
    size_t i;
    *out = false;
    switch (v->type) {
    case DBM_TYPE_BOOL: case DBM_TYPE_INT: case DBM_TYPE_UINT:
        if (v->as.uinteger > 1) return dbm__why_not(why, v, "is neither 0 nor 1");
        *out = v->as.uinteger == 1;
        return DBM_OK;
    case DBM_TYPE_TEXT: case DBM_TYPE_JSON:
        for (i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (!dbm__same_word_n(v->as.text.data, v->as.text.size, words[i])) continue;
            *out = i % 2 == 1;
            return DBM_OK;
        }
        break;
    case DBM_TYPE_NULL: case DBM_TYPE_DOUBLE: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_TIMESTAMP:
    case DBM_TYPE_UUID: case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return dbm__why_not(why, v, "is not a bool");
}

DBM__FN dbm_status dbm__to_timestamp(const dbm_value *v, int64_t *out, dbm__why *why) {
    *out = 0;
    switch (v->type) {
    case DBM_TYPE_TIMESTAMP: case DBM_TYPE_INT:
        *out = v->as.integer;
        return DBM_OK;
    case DBM_TYPE_UINT:
        if (v->as.uinteger > (uint64_t)INT64_MAX) return dbm__why_range(why, v, INT64_MIN, (uint64_t)INT64_MAX);
        *out = (int64_t)v->as.uinteger;
        return DBM_OK;
    case DBM_TYPE_TEXT: case DBM_TYPE_JSON:
        if (dbm__timestamp_read(v->as.text.data, v->as.text.size, out)) return DBM_OK;
        return dbm__why_not(why, v, "is not a timestamp such as 2024-02-29 12:34:56.789012");
    case DBM_TYPE_NULL: case DBM_TYPE_DOUBLE: case DBM_TYPE_BOOL: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID:
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return dbm__why_not(why, v, "is not a timestamp");
}

/* ---- texts --------------------------------------------------------------------------------------------------------- */

DBM__FN const char *dbm__to_text(const dbm_value *v, char *block, size_t capacity, size_t *size) {
    char number[40];
    dbm__text t;
    *size = 0;
    if (DBM__LIKELY(dbm__is_text(v->type))) {
        if (!v->as.text.data) return "";
        *size = v->as.text.size;
        return v->as.text.data;
    }
    if (v->type == DBM_TYPE_NULL || !capacity) return "";
    t = dbm__text_in(block, capacity);
    switch (v->type) {
    case DBM_TYPE_INT: dbm__put_int(&t, v->as.integer); break;
    case DBM_TYPE_UINT: dbm__putf(&t, "%u", v->as.uinteger); break;
    case DBM_TYPE_BOOL: dbm__put(&t, v->as.integer ? "true" : "false"); break;
    case DBM_TYPE_DOUBLE:
        dbm__double_write(v->as.real, number);
        dbm__put(&t, number);
        break;
    case DBM_TYPE_TIMESTAMP:
        dbm__timestamp_write(v->as.integer, number);
        dbm__put(&t, number);
        break;
    case DBM_TYPE_NULL: case DBM_TYPE_TEXT: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    *size = t.size;
    return block;
}

/* ---- targets ------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__target_int(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    int64_t x;
    dbm_status st;
    if (t->size == sizeof(int64_t)) {
        st = dbm__to_int(v, INT64_MIN, INT64_MAX, &x, why);
        memcpy(t->to, &x, sizeof x);
    } else if (t->size == sizeof(int32_t)) {
        int32_t y;
        st = dbm__to_int(v, INT32_MIN, INT32_MAX, &x, why);
        y = (int32_t)x;
        memcpy(t->to, &y, sizeof y);
    } else if (t->size == sizeof(int16_t)) {
        int16_t y;
        st = dbm__to_int(v, INT16_MIN, INT16_MAX, &x, why);
        y = (int16_t)x;
        memcpy(t->to, &y, sizeof y);
    } else {
        int8_t y;
        st = dbm__to_int(v, INT8_MIN, INT8_MAX, &x, why);
        y = (int8_t)x;
        memcpy(t->to, &y, sizeof y);
    }
    return st;
}

static dbm_status dbm__target_uint(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    uint64_t x;
    dbm_status st;
    if (t->size == sizeof(uint64_t)) {
        st = dbm__to_uint(v, UINT64_MAX, &x, why);
        memcpy(t->to, &x, sizeof x);
    } else if (t->size == sizeof(uint32_t)) {
        uint32_t y;
        st = dbm__to_uint(v, UINT32_MAX, &x, why);
        y = (uint32_t)x;
        memcpy(t->to, &y, sizeof y);
    } else if (t->size == sizeof(uint16_t)) {
        uint16_t y;
        st = dbm__to_uint(v, UINT16_MAX, &x, why);
        y = (uint16_t)x;
        memcpy(t->to, &y, sizeof y);
    } else {
        uint8_t y;
        st = dbm__to_uint(v, UINT8_MAX, &x, why);
        y = (uint8_t)x;
        memcpy(t->to, &y, sizeof y);
    }
    return st;
}

static dbm_status dbm__target_real(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    double x;
    dbm_status st = dbm__to_double(v, &x, why);
    if (t->size == sizeof(double)) {
        memcpy(t->to, &x, sizeof x);
    } else {
        float y = 0;
#if DBM__FLOAT
        const double limit = 340282356779733661637539395458142568448.0; /* halfway from FLT_MAX to the next: rounds up */
        if ((x >= limit || x <= -limit) && x <= DBL_MAX && x >= -DBL_MAX) st = dbm__why_not(why, v, "does not fit float");
        else y = (float)x;
#else
        if (st == DBM_OK) st = dbm__why_not(why, v, "can't be made a float: DBM_NO_FLOAT");
#endif
        memcpy(t->to, &y, sizeof y);
    }
    return st;
}

/* char[N]: what fits is there, whole UTF-8 sequences and a NUL, also when not all fitted. */
static dbm_status dbm__target_buffer(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    char block[64];
    size_t size, whole;
    const char *text = dbm__to_text(v, block, sizeof block, &size), *nul;
    dbm__text in = dbm__text_in((char *)t->to, t->size);
    nul = size ? (const char *)memchr(text, 0, size) : NULL;
    whole = nul ? (size_t)(nul - text) : size;
    dbm__put_n(&in, text, whole);
    if (nul) {
        dbm__format(why->text, sizeof why->text,
                    "a text of %z bytes has a byte 0 at %z, which ends it in char[%z]; scan it into dbm_bytes", size, whole, t->size);
        return DBM_E_RANGE;
    }
    if (in.cut || !t->size) {
        dbm__format(why->text, sizeof why->text, "a text of %z bytes and its NUL do not fit char[%z]", size, t->size);
        return DBM_E_RANGE;
    }
    return DBM_OK;
}

static dbm_status dbm__target_bytes(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    dbm_bytes bytes;
    bool ok = dbm__is_text(v->type) || v->type == DBM_TYPE_NULL;
    bytes.data = NULL;
    bytes.size = 0;
    if (dbm__is_text(v->type)) {
        bytes.data = (const unsigned char *)(v->as.text.data ? v->as.text.data : ""); /* NULL is SQL NULL alone */
        bytes.size = v->as.text.data ? v->as.text.size : 0;
    }
    memcpy(t->to, &bytes, sizeof bytes);
    return ok ? DBM_OK : dbm__why_not(why, v, "is neither a text nor a blob");
}

DBM__FN dbm_status dbm__to_target(const dbm_value *v, const dbm_target *t, char *text_block, size_t text_capacity,
                                  dbm__why *why) {
    dbm_status st = DBM_OK;
    bool has = v->type != DBM_TYPE_NULL;
    switch ((dbm__target_kind)t->kind) {
    case DBM__TO_INT: return dbm__target_int(v, t, why);
    case DBM__TO_UINT: return dbm__target_uint(v, t, why);
    case DBM__TO_REAL: return dbm__target_real(v, t, why);
    case DBM__TO_BUFFER: return dbm__target_buffer(v, t, why);
    case DBM__TO_BYTES: return dbm__target_bytes(v, t, why);
    case DBM__TO_BOOL: {
        bool x;
        st = dbm__to_bool(v, &x, why);
        memcpy(t->to, &x, sizeof x);
        return st;
    }
    case DBM__TO_TEXT: { /* NULL and "" are told apart */
        size_t size;
        const char *x = has ? dbm__to_text(v, text_block, text_capacity, &size) : NULL;
        if (has && text_capacity < 64 && !dbm__is_text(v->type)) { /* nowhere to write it out */
            x = "";
            st = dbm__why_not(why, v, "has no room to be a text");
        }
        memcpy(t->to, &x, sizeof x);
        return st;
    }
    case DBM__TO_VALUE:
        memcpy(t->to, v, sizeof *v);
        return DBM_OK;
    case DBM__TO_OPTIONAL_INT: {
        dbm_optional_int x;
        memset(&x, 0, sizeof x);
        if (has) st = dbm__to_int(v, INT64_MIN, INT64_MAX, &x.value, why);
        x.has = has && st == DBM_OK;
        memcpy(t->to, &x, sizeof x);
        return st;
    }
    case DBM__TO_OPTIONAL_DOUBLE: {
        dbm_optional_double x;
        memset(&x, 0, sizeof x);
        if (has) st = dbm__to_double(v, &x.value, why);
        x.has = has && st == DBM_OK;
        memcpy(t->to, &x, sizeof x);
        return st;
    }
    case DBM__TO_OPTIONAL_BOOL: {
        dbm_optional_bool x;
        memset(&x, 0, sizeof x);
        if (has) st = dbm__to_bool(v, &x.value, why);
        x.has = has && st == DBM_OK;
        memcpy(t->to, &x, sizeof x);
        return st;
    }
    case DBM__TO_SIGNED: break;
    }
    dbm__format(why->text, sizeof why->text, "the target's kind %d is not known; make it by dbm_to_...()", t->kind);
    return DBM_E_MISUSE;
}

/* ---- timestamps ---------------------------------------------------------------------------------------------------------
 * Proleptic Gregorian calendar, UTC, without leap seconds. Days are counted in eras of 400 years that begin on a 1st of March, so
 * that the leap day is the last of its year. */

#define DBM__DAY_US (INT64_C(86400) * 1000000)

static int64_t dbm__days_of(int64_t year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static char *dbm__put_digits(char *at, int64_t v, int digits) {
    int i;
    for (i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + (int)(v % 10));
        v /= 10;
    }
    return at + digits;
}

DBM__FN void dbm__timestamp_write(int64_t us, char block[32]) {
    int64_t days = us / DBM__DAY_US, rest = us % DBM__DAY_US, era, of_era, year_of_era, of_year, year, seconds;
    int shifted, month;
    char *at = block;
    if (rest < 0) { rest += DBM__DAY_US; days--; }
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    of_era = days - era * 146097;
    year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted = (int)((5 * of_year + 2) / 153);
    month = shifted < 10 ? shifted + 3 : shifted - 9;
    year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
    if (year < 0 || year > 9999) { /* ISO 8601's expanded years, which are for reading by people only */
        *at++ = year < 0 ? '-' : '+';
        at = dbm__put_digits(at, year < 0 ? -year : year, 6);
    } else {
        at = dbm__put_digits(at, year, 4);
    }
    *at++ = '-';
    at = dbm__put_digits(at, month, 2);
    *at++ = '-';
    at = dbm__put_digits(at, of_year - (153 * shifted + 2) / 5 + 1, 2);
    *at++ = ' ';
    seconds = rest / 1000000;
    at = dbm__put_digits(at, seconds / 3600, 2);
    *at++ = ':';
    at = dbm__put_digits(at, seconds / 60 % 60, 2);
    *at++ = ':';
    at = dbm__put_digits(at, seconds % 60, 2);
    if (rest % 1000000) { /* without a fraction it is, byte for byte, what SQLite's CURRENT_TIMESTAMP writes */
        *at++ = '.';
        at = dbm__put_digits(at, rest % 1000000, 6);
    }
    *at = 0;
}

/* A text being read from its front. */
typedef struct dbm__reader { const char *at, *end; } dbm__reader;

static bool dbm__reader_sign(dbm__reader *r, char sign) {
    if (r->at == r->end || *r->at != sign) return false;
    r->at++;
    return true;
}

/* Exactly `digits` digits, of a number within min and max. */
static bool dbm__reader_number(dbm__reader *r, int digits, int min, int max, int *out) {
    int v = 0;
    for (; digits; digits--) {
        if (r->at == r->end || *r->at < '0' || *r->at > '9') return false;
        v = v * 10 + (*r->at++ - '0');
    }
    *out = v;
    return v >= min && v <= max;
}

/* Z, +hh, +hhmm, +hh:mm, +hh:mm:ss, or nothing; seconds east of UTC. */
static bool dbm__reader_zone(dbm__reader *r, int *seconds) {
    int hours = 0, minutes = 0, more = 0;
    bool west, colon;
    *seconds = 0;
    if (r->at == r->end) return true;
    (void)dbm__reader_sign(r, ' ');
    if (dbm__reader_sign(r, 'Z') || dbm__reader_sign(r, 'z')) return true;
    west = dbm__reader_sign(r, '-');
    if (!west && !dbm__reader_sign(r, '+')) return false;
    if (!dbm__reader_number(r, 2, 0, 23, &hours)) return false;
    if (r->at < r->end) {
        colon = dbm__reader_sign(r, ':');
        if (!dbm__reader_number(r, 2, 0, 59, &minutes)) return false;
        if (colon && dbm__reader_sign(r, ':') && !dbm__reader_number(r, 2, 0, 59, &more)) return false;
    }
    *seconds = (hours * 60 + minutes) * 60 + more;
    if (west) *seconds = -*seconds;
    return true;
}

/* Up to nine digits; those below microseconds must be zeros. */
static bool dbm__reader_fraction(dbm__reader *r, int64_t *us) {
    int digits = 0;
    int64_t v = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++, digits++) {
        if (digits >= 9 || (digits >= 6 && *r->at != '0')) return false;
        if (digits < 6) v = v * 10 + (*r->at - '0');
    }
    if (!digits) return false;
    for (; digits < 6; digits++) v *= 10;
    *us = v;
    return true;
}

DBM__FN bool dbm__timestamp_read(const char *text, size_t size, int64_t *us) {
    static const char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    dbm__reader r;
    int year, month, day, hour = 0, minute = 0, second = 0, zone = 0;
    int64_t fraction = 0, days;
    bool leap;
    *us = 0;
    if (!text) return false;
    r.at = text;
    r.end = text + size;
    if (!dbm__reader_number(&r, 4, 1, 9999, &year) || !dbm__reader_sign(&r, '-')) return false;
    if (!dbm__reader_number(&r, 2, 1, 12, &month) || !dbm__reader_sign(&r, '-')) return false;
    if (!dbm__reader_number(&r, 2, 1, 31, &day)) return false;
    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > lengths[month - 1] + (month == 2 && leap ? 1 : 0)) return false;
    if (r.at != r.end) {
        if (!dbm__reader_sign(&r, ' ') && !dbm__reader_sign(&r, 'T') && !dbm__reader_sign(&r, 't')) return false;
        if (!dbm__reader_number(&r, 2, 0, 23, &hour) || !dbm__reader_sign(&r, ':')) return false;
        if (!dbm__reader_number(&r, 2, 0, 59, &minute)) return false;
        if (dbm__reader_sign(&r, ':')) {
            bool point;
            if (!dbm__reader_number(&r, 2, 0, 59, &second)) return false;
            point = dbm__reader_sign(&r, '.') || dbm__reader_sign(&r, ',');
            if (point && !dbm__reader_fraction(&r, &fraction)) return false;
        }
        if (!dbm__reader_zone(&r, &zone) || r.at != r.end) return false;
    }
    days = dbm__days_of(year, month, day);
    *us = days * DBM__DAY_US + ((int64_t)(hour * 60 + minute) * 60 + second - zone) * 1000000 + fraction;
    if (*us >= dbm__days_of(1, 1, 1) * DBM__DAY_US && *us < dbm__days_of(10000, 1, 1) * DBM__DAY_US) return true;
    *us = 0; /* its zone moved it out of the years that can be written */
    return false;
}

/* ---- doubles ------------------------------------------------------------------------------------------------------------
 * Exact, by integers of many words: the C library's functions follow the locale, are large, or are missing. Reading divides one
 * such integer by another; writing makes digits until they tell the number from its neighbours (Steele and White, Dragon4). */

#if DBM__FLOAT

/* words[0] is the lowest; the highest of n is not 0. The room is the caller's. */
typedef struct dbm__big { uint32_t *words; int n; } dbm__big;

static void dbm__big_set(dbm__big *b, uint64_t v) {
    b->n = 0;
    for (; v; v >>= 32) b->words[b->n++] = (uint32_t)v;
}

static void dbm__big_multiply(dbm__big *b, uint32_t factor, uint32_t plus) {
    uint64_t carry = plus;
    int i;
    for (i = 0; i < b->n; i++) {
        carry += (uint64_t)b->words[i] * factor;
        b->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) b->words[b->n++] = (uint32_t)carry;
}

static void dbm__big_times_5(dbm__big *b, int power) {
    static const uint32_t powers[] = { 1, 5, 25, 125, 625, 3125, 15625, 78125, 390625, 1953125, 9765625, 48828125, 244140625 };
    for (; power > 13; power -= 13) dbm__big_multiply(b, 1220703125u, 0);
    if (power == 13) dbm__big_multiply(b, 1220703125u, 0);
    else if (power) dbm__big_multiply(b, powers[power], 0);
}

static void dbm__big_shift(dbm__big *b, int bits) {
    int words = bits / 32, i;
    bits %= 32;
    if (!b->n) return;
    if (bits) {
        uint32_t over = 0;
        for (i = 0; i < b->n; i++) {
            uint32_t w = b->words[i];
            b->words[i] = w << bits | over;
            over = w >> (32 - bits);
        }
        if (over) b->words[b->n++] = over;
    }
    if (words) {
        memmove(b->words + words, b->words, (size_t)b->n * sizeof b->words[0]);
        memset(b->words, 0, (size_t)words * sizeof b->words[0]);
        b->n += words;
    }
}

static int dbm__big_compare(const dbm__big *a, const dbm__big *b) {
    int i;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    for (i = a->n - 1; i >= 0; i--) if (a->words[i] != b->words[i]) return a->words[i] < b->words[i] ? -1 : 1;
    return 0;
}

static void dbm__big_add(dbm__big *a, const dbm__big *b) {
    uint64_t carry = 0;
    int i;
    for (i = 0; i < b->n || (carry && i < a->n); i++) {
        if (i == a->n) a->words[a->n++] = 0;
        carry += (uint64_t)a->words[i] + (i < b->n ? b->words[i] : 0u);
        a->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) a->words[a->n++] = (uint32_t)carry;
}

/* b is not larger than a. */
static void dbm__big_subtract(dbm__big *a, const dbm__big *b) {
    uint64_t borrow = 0;
    int i;
    for (i = 0; i < b->n || borrow; i++) {
        uint64_t part = (uint64_t)a->words[i] - (i < b->n ? b->words[i] : 0u) - borrow;
        a->words[i] = (uint32_t)part;
        borrow = part >> 63;
    }
    while (a->n && !a->words[a->n - 1]) a->n--;
}

static int dbm__big_bits(const dbm__big *b) {
    int bits = b->n * 32;
    uint32_t top = b->n ? b->words[b->n - 1] : 1u;
    for (; !(top >> 31); top <<= 1) bits--;
    return b->n ? bits : 0;
}

/* Makes a double of q * 2^exponent, and a little more when `more`, rounded to nearest, ties to even. False: too large. */
static bool dbm__double_make(uint64_t q, int exponent, bool more, uint64_t *bits) {
    int drop = 11; /* 53 of the 64 bits stay, fewer below the smallest normal number */
    uint64_t lost, half, m;
    for (; !(q >> 63); q <<= 1) exponent--;
    exponent += 63; /* now the value is 1.x * 2^exponent */
    if (exponent > 1023) return false;
    if (exponent < -1022) drop += -1022 - exponent;
    if (drop > 64) {
        *bits = 0;
        return true;
    }
    m = drop == 64 ? 0 : q >> drop;
    lost = drop == 64 ? q : q & ((UINT64_C(1) << drop) - 1);
    half = UINT64_C(1) << (drop - 1);
    if (lost > half || (lost == half && (more || (m & 1u)))) m++;
    *bits = m; /* its 53rd bit, also when rounding up makes it, counts the exponent up by one */
    if (exponent >= -1022) *bits += (uint64_t)(exponent + 1022) << 52;
    return *bits < UINT64_C(0x7FF) << 52;
}

enum { DBM__READ_DIGITS = 800, DBM__READ_WORDS = 90, DBM__WRITE_WORDS = 40 }; /* 767 digits can tell two doubles apart */

/* digits * 10^exponent, not 0; below 10^311 and not below 10^-325. `more`: digits were left out that are not all 0. */
static bool dbm__double_exact(dbm__big *digits, int exponent, bool more, uint64_t *bits) {
    uint32_t room[DBM__READ_WORDS];
    dbm__big by;
    uint64_t q = 0;
    int shift, i;
    if (exponent >= 0) {
        dbm__big_times_5(digits, exponent);
        shift = dbm__big_bits(digits) - 64;
        if (shift < 0) dbm__big_shift(digits, -shift);
        for (i = digits->n * 32 - 1; i >= 0; i--) { /* the 64 highest bits, and whether there are others */
            uint32_t bit = digits->words[i / 32] >> (i % 32) & 1u;
            if (q >> 63) more = more || bit;
            else q = q << 1 | bit;
        }
        return dbm__double_make(q, shift + exponent, more, bits);
    }
    by.words = room;
    dbm__big_set(&by, 1);
    dbm__big_times_5(&by, -exponent);
    shift = dbm__big_bits(&by) - dbm__big_bits(digits) - 1;
    dbm__big_shift(shift >= 0 ? digits : &by, shift >= 0 ? shift : -shift); /* now digits / by is between 1/4 and 1 */
    for (i = 0; i < 64; i++) {
        dbm__big_shift(digits, 1);
        q <<= 1;
        if (dbm__big_compare(digits, &by) < 0) continue;
        dbm__big_subtract(digits, &by);
        q |= 1u;
    }
    return dbm__double_make(q, exponent - shift - 64, more || digits->n, bits);
}

/* [+-](inf | infinity | nan), which SQL writes in many ways. */
static bool dbm__double_word(const char *text, size_t size, uint64_t *bits) {
    if (dbm__same_word_n(text, size, "inf") || dbm__same_word_n(text, size, "infinity")) *bits = UINT64_C(0x7FF) << 52;
    else if (dbm__same_word_n(text, size, "nan")) *bits = UINT64_C(0x7FF8) << 48;
    else return false;
    return true;
}

DBM__FN bool dbm__double_read(const char *text, size_t size, double *out) {
    static const double tens[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    static const uint32_t scale[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };
    uint32_t room[DBM__READ_WORDS], part = 0;
    uint64_t first = 0, bits = 0; /* the digits, while they fit */
    int64_t exponent = 0, written = 0;
    size_t i = 0, from;
    int count = 0, parts = 0;
    bool negative, point = false, any = false, more = false, minus, ok = true;
    dbm__big digits;

    *out = 0;
    if (!text) return false;
    negative = size && text[0] == '-';
    if (size && (text[0] == '-' || text[0] == '+')) i = 1;
    digits.words = room;
    digits.n = 0;
    for (from = i; i < size; i++) {
        uint32_t digit;
        if (text[i] == '.' && !point) { point = true; continue; }
        if (text[i] < '0' || text[i] > '9') break;
        digit = (uint32_t)(text[i] - '0');
        any = true;
        if (point) exponent--;
        if (!count && !digit) continue;
        if (count == DBM__READ_DIGITS) {
            exponent++;
            more = more || digit;
            continue;
        }
        count++;
        if (count <= 19) first = first * 10u + digit;
        part = part * 10u + digit;
        if (++parts == 9) {
            dbm__big_multiply(&digits, scale[9], part);
            part = 0;
            parts = 0;
        }
    }
    if (!any) {
        ok = dbm__double_word(text + from, size - from, &bits);
        if (negative) bits |= UINT64_C(1) << 63;
        if (ok) memcpy(out, &bits, sizeof bits);
        return ok;
    }
    if (i < size && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        minus = i < size && text[i] == '-';
        if (i < size && (text[i] == '-' || text[i] == '+')) i++;
        if (i == size) return false;
        for (; i < size && text[i] >= '0' && text[i] <= '9'; i++) {
            if (written < INT64_MAX / 100) written = written * 10 + (text[i] - '0');
        }
        exponent += minus ? -written : written;
    }
    if (i != size) return false;
    if (count && exponent + count > 310) return false;
    if (count && exponent + count >= -324) {
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
        if (first < UINT64_C(1) << 53 && count <= 19 && exponent >= -22 && exponent <= 22) { /* both exact, so one rounding only */
            *out = exponent < 0 ? (double)first / tens[-exponent] : (double)first * tens[exponent];
            if (negative) *out = -*out;
            return true;
        }
#else
        (void)tens;
#endif
        if (parts) dbm__big_multiply(&digits, scale[parts], part);
        ok = dbm__double_exact(&digits, (int)exponent, more, &bits);
    }
    if (!ok) return false;
    if (negative) bits |= UINT64_C(1) << 63;
    memcpy(out, &bits, sizeof bits);
    return true;
}

/* The shortest digits of m * 2^exponent that no neighbour is nearer to; the value is 0.ddd * 10^*point. Returns how many. */
static int dbm__double_digits(uint64_t m, int exponent, char digits[20], int *point) {
    uint32_t room[4][DBM__WRITE_WORDS];
    dbm__big value, unit, above, below; /* value / unit is what is left; above and below are half the way to the neighbours */
    bool even = !(m & 1u), low, high;
    bool edge = m == UINT64_C(1) << 52 && exponent > -1074; /* the neighbour below is nearer than the one above */
    int32_t length, power;
    int bits = 0, count = 0;
    uint64_t top;
    value.words = room[0];
    unit.words = room[1];
    above.words = room[2];
    below.words = room[3];
    for (top = m; top; top >>= 1) bits++;
    dbm__big_set(&value, m);
    dbm__big_set(&unit, 1);
    dbm__big_set(&above, 1);
    dbm__big_set(&below, 1);
    dbm__big_shift(&value, (exponent > 0 ? exponent : 0) + (edge ? 2 : 1));
    dbm__big_shift(&unit, (exponent < 0 ? -exponent : 0) + (edge ? 2 : 1));
    dbm__big_shift(&above, (exponent > 0 ? exponent : 0) + (edge ? 1 : 0));
    dbm__big_shift(&below, exponent > 0 ? exponent : 0);
    length = (exponent + bits - 1) * 78913; /* log10(2) * 2^18 */
    power = (length >= 0 ? length : length - 262143) / 262144 + 1; /* right, or one too low */
    if (power >= 0) {
        dbm__big_times_5(&unit, power);
        dbm__big_shift(&unit, power);
    } else {
        dbm__big_times_5(&value, -power);
        dbm__big_shift(&value, -power);
        dbm__big_times_5(&above, -power);
        dbm__big_shift(&above, -power);
        dbm__big_times_5(&below, -power);
        dbm__big_shift(&below, -power);
    }
    dbm__big_add(&value, &above);
    high = dbm__big_compare(&value, &unit) >= (even ? 0 : 1);
    dbm__big_subtract(&value, &above);
    *point = high ? power + 1 : power;
    for (;;) {
        int digit = 0;
        if (count || !high) {
            dbm__big_multiply(&value, 10, 0);
            dbm__big_multiply(&above, 10, 0);
            dbm__big_multiply(&below, 10, 0);
        }
        while (dbm__big_compare(&value, &unit) >= 0) {
            dbm__big_subtract(&value, &unit);
            digit++;
        }
        low = dbm__big_compare(&value, &below) < (even ? 1 : 0);
        dbm__big_add(&value, &above);
        high = dbm__big_compare(&value, &unit) >= (even ? 0 : 1);
        if (!low && !high && count < 17) {
            dbm__big_subtract(&value, &above);
            digits[count++] = (char)('0' + digit);
            continue;
        }
        if (low && high) {
            dbm__big_subtract(&value, &above);
            dbm__big_shift(&value, 1);
            high = dbm__big_compare(&value, &unit) >= (digit & 1 ? 0 : 1);
        }
        digits[count++] = (char)('0' + digit + (high ? 1 : 0));
        return count;
    }
}

DBM__FN void dbm__double_write(double v, char block[40]) {
    char digits[20];
    uint64_t bits, m;
    int exponent, count, point, i;
    dbm__text t = dbm__text_in(block, 40);
    memcpy(&bits, &v, sizeof bits);
    m = bits & ((UINT64_C(1) << 52) - 1);
    exponent = (int)(bits >> 52 & 0x7FFu);
    if (exponent == 0x7FF && m) {
        dbm__put(&t, "nan");
        return;
    }
    if (bits >> 63) dbm__put_n(&t, "-", 1);
    if (exponent == 0x7FF) {
        dbm__put(&t, "inf");
        return;
    }
    if (exponent) m |= UINT64_C(1) << 52;
    else exponent = 1;
    exponent -= 1075;
    if (!m || (exponent <= 0 && exponent > -53 && !(m & ((UINT64_C(1) << -exponent) - 1)))) { /* an integer of up to 53 bits */
        dbm__put_int(&t, m ? (int64_t)(m >> -exponent) : 0);
        return;
    }
    count = dbm__double_digits(m, exponent, digits, &point);
    if (point > -4 && point <= 0) { /* 0.000123 */
        dbm__put(&t, "0.");
        for (i = point; i < 0; i++) dbm__put_n(&t, "0", 1);
        dbm__put_n(&t, digits, (size_t)count);
    } else if (point > 0 && point <= 16) { /* 123.45, 12300 */
        dbm__put_n(&t, digits, (size_t)(count < point ? count : point));
        for (i = count; i < point; i++) dbm__put_n(&t, "0", 1);
        if (count > point) {
            dbm__put_n(&t, ".", 1);
            dbm__put_n(&t, digits + point, (size_t)(count - point));
        }
    } else { /* 1.23e-07 */
        dbm__put_n(&t, digits, 1);
        if (count > 1) dbm__put_n(&t, ".", 1);
        dbm__put_n(&t, digits + 1, (size_t)(count - 1));
        point--;
        dbm__put(&t, point < 0 ? "e-" : "e+");
        if (point < 0) point = -point;
        if (point < 10) dbm__put_n(&t, "0", 1);
        dbm__put_int(&t, point);
    }
}

#else /* !DBM__FLOAT */

DBM__FN bool dbm__double_read(const char *text, size_t size, double *out) {
    (void)text;
    (void)size;
    *out = 0;
    return false;
}

DBM__FN void dbm__double_write(double v, char block[40]) {
    (void)v;
    block[0] = 0;
}

#endif
/* --- end src/sql/values.c --- */
/* --- begin src/sql/cache.c --- */
/* The prepared statements of one connection: found by their text, kept by their age, dropped when they are too many.
 * May call: api/, base/, adapter/, sql.h, lexer.h.
 * Must not know: sessions, results, what a statement is for. */

/* An entry is in the chain of its hash and in the list by age, or (`cached` false) only with whoever took it.
 *
 *     chains[hash] -> entry -> entry            text and `named` alike: two entries when the first is `single` and in use
 *     newest -> older -> older -> oldest        `count` of them, at most `limit` unless so many are in use
 *     hints[address of the text] -> entry       the last one found for a text at this address
 *
 * A connection belongs to one thread at a time, so there is no lock. Only the three counters are read by others. */

static void dbm__cache_count(dbm__word *counter) { dbm__store(counter, dbm__load(counter) + 1); }


static dbm__entry **dbm__cache_chain(dbm__cache *k, uint32_t hash) { return &k->chains[hash & (k->chain_count - 1)]; }

/* ---- the list by age ----------------------------------------------------------------------------------------------- */

DBM__INLINE void dbm__cache_unlink(dbm__cache *k, dbm__entry *e) {
    if (e->newer) e->newer->older = e->older;
    else k->newest = e->older;
    if (e->older) e->older->newer = e->newer;
    else k->oldest = e->newer;
}

DBM__INLINE void dbm__cache_link(dbm__cache *k, dbm__entry *e) {
    e->newer = NULL;
    e->older = k->newest;
    if (k->newest) k->newest->newer = e;
    else k->oldest = e;
    k->newest = e;
}

/* ---- dropping ------------------------------------------------------------------------------------------------------ */

/* Frees an entry that is in no list. What the caller has failed at, or not, stays this thread's last failure. */
static DBM__NOINLINE void dbm__cache_drop(dbm_connection *c, dbm__entry *e) {
    if (e->prepared.data && c->open) {
        dbm_error_info before = dbm__self()->last;
        dbm_op op;
        dbm__op_init(&op, DBM_OP_UNPREPARE, dbm__deadline(c->db->host, 1000));
        op.sql = e->prepared.sql;
        op.sql_size = e->prepared.sql_size;
        op.prepared = &e->prepared;
        (void)dbm__op_run(c, &op);
        dbm__self()->last = before;
    }
    dbm__free(c->db->host, e);
}

static void dbm__cache_remove(dbm_connection *c, dbm__entry *e) {
    dbm__cache *k = c->cache;
    dbm__entry **at = dbm__cache_chain(k, e->hash);
    int i;
    while (*at != e) at = &(*at)->next_hash;
    *at = e->next_hash;
    dbm__cache_unlink(k, e);
    k->count--;
    for (i = 0; i < DBM__HINTS; i++) if (k->hints[i] == e) k->hints[i] = NULL;
    dbm__cache_drop(c, e);
}

/* Down to the limit, the oldest first; entries in use stay. */
static DBM__NOINLINE void dbm__cache_evict(dbm_connection *c) {
    dbm__cache *k = c->cache;
    dbm__entry *e, *newer;
    for (e = k->oldest; e && k->count > k->limit; e = newer) {
        newer = e->newer;
        if (e->uses) continue;
        dbm__cache_remove(c, e);
        dbm__cache_count(&c->cache_evictions);
    }
}

/* Eight bytes at a time; multiplied and folded, so that the order of the words counts. Not against an attacker: a program's
 * statements are its own, and a long chain costs time only. */
static uint32_t dbm__cache_hash(const char *text, size_t size) {
    uint64_t h = (uint64_t)size * UINT64_C(0x9E3779B97F4A7C15), w;
    for (; size >= 8; size -= 8, text += 8) {
        memcpy(&w, text, 8);
        h = (h ^ w) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    if (size) {
        w = 0;
        memcpy(&w, text, size);
        h = (h ^ w) * UINT64_C(0xD6E8FEB86659FD93);
        h ^= h >> 32;
    }
    return (uint32_t)(h ^ h >> 29);
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__cache_make(dbm_connection *c, int limit) {
    size_t chains = 4;
    dbm__cache *k;
    if (limit < 0) limit = 0;
    while (chains < (size_t)limit && chains < 4096) chains *= 2;
    k = (dbm__cache *)dbm__alloc_zero(c->db->host, sizeof *k + chains * sizeof k->chains[0]);
    if (!k) return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
    k->chains = (dbm__entry **)(void *)(k + 1);
    k->chain_count = chains;
    k->limit = limit;
    c->cache = k;
    return DBM_OK;
}

DBM__FN void dbm__cache_free(dbm_connection *c) {
    dbm__cache *k = c->cache;
    dbm__entry *e, *older;
    if (!k) return;
    for (e = k->newest; e; e = older) {
        older = e->older;
        dbm__cache_drop(c, e);
    }
    dbm__free(c->db->host, k);
    c->cache = NULL;
}

/* One block: the entry, the places, then the texts. */
static dbm__entry *dbm__cache_entry(dbm__host *host, const char *sql, size_t size, const dbm__parsed *parsed) {
    size_t places = parsed->places && parsed->parameters > 0 ? (size_t)parsed->parameters : 0, names = 0, need, i;
    bool same = parsed->size == size && memcmp(parsed->sql, sql, size) == 0; /* nothing was rewritten */
    dbm__entry *e;
    char *at;
    for (i = 0; i < places; i++) names += parsed->places[i].size + 1;
    if (size > SIZE_MAX / 8 || parsed->size > SIZE_MAX / 8 || names > SIZE_MAX / 8) return NULL;
    if (places > SIZE_MAX / 8 / sizeof(dbm__place)) return NULL;
    need = sizeof *e + places * sizeof(dbm__place) + size + 1 + (same ? 0 : parsed->size + 1) + names;
    e = (dbm__entry *)dbm__alloc(host, need);
    if (!e) return NULL;
    memset(e, 0, sizeof *e);
    if (places) e->places = (dbm__place *)(void *)(e + 1);
    at = (char *)(e + 1) + places * sizeof(dbm__place);
    e->text = at;
    e->text_size = size;
    memcpy(at, sql, size);
    at[size] = 0;
    at += size + 1;
    e->prepared.sql = e->text;
    e->prepared.sql_size = parsed->size;
    if (!same) {
        memcpy(at, parsed->sql, parsed->size);
        at[parsed->size] = 0;
        e->prepared.sql = at;
        at += parsed->size + 1;
    }
    for (i = 0; i < places; i++) {
        e->places[i].name = at;
        e->places[i].size = parsed->places[i].size;
        memcpy(at, parsed->places[i].name, parsed->places[i].size);
        at += parsed->places[i].size;
        *at++ = 0;
    }
    e->prepared.parameters = parsed->parameters;
    e->prepared.writes = parsed->verb != DBM__VERB_READ;
    /* What the lexer does not know may have rows; the rest of the words never do without RETURNING. */
    e->prepared.returns_rows = parsed->verb == DBM__VERB_READ || parsed->verb == DBM__VERB_OTHER || parsed->returning;
    e->random = parsed->random;
    e->verb = parsed->verb;
    return e;
}

static dbm_status dbm__cache_prepare(dbm_connection *c, dbm__entry *e, int64_t deadline_us, const char *site) {
    dbm_error_info *last = &dbm__self()->last;
    dbm_status st;
    dbm_op op;
    dbm__op_init(&op, DBM_OP_PREPARE, deadline_us);
    op.sql = e->prepared.sql;
    op.sql_size = e->prepared.sql_size;
    op.prepared = &e->prepared;
    st = dbm__op_run(c, &op);
    if (st == DBM_OK || st == DBM_E_UNSUPPORTED) return DBM_OK; /* then it is sent as text each time */
    if (!last->site[0]) dbm__copy_cut(last->site, sizeof last->site, site);
    return st;
}

/* A text that is not in the cache, or only in entries that can't serve twice at once. */
static DBM__NOINLINE dbm_status dbm__cache_miss(dbm_connection *c, const char *sql, size_t size, uint32_t hash, bool named,
                                                bool keep, int64_t deadline_us, const char *site, dbm__entry **out) {
    const dbm_adapter *a = c->db->adapter;
    dbm__cache *k = c->cache;
    dbm__host *host = c->db->host;
    dbm__entry *e, **chain;
    dbm__parsed parsed;
    dbm_status st = dbm__sql_parse(host, sql, size, a->placeholders, a->lexer, named, c->db->name, site, &parsed);
    dbm__cache_count(&c->cache_misses);
    if (st != DBM_OK) return st;
    if (parsed.several && a->placeholders != DBM_PH_NATIVE) { /* in another language a semicolon need not end anything */
        dbm__parsed_free(host, &parsed);
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, c->db->name, site,
                         "one statement at a time: use dbm_script() for several");
    }
    e = dbm__cache_entry(host, sql, size, &parsed);
    dbm__parsed_free(host, &parsed);
    if (!e) return dbm__no_memory(DBM_STAGE_STATEMENT, c->db->name, site);
    e->named = named;
    e->hash = hash;
    st = dbm__cache_prepare(c, e, deadline_us, site);
    if (st != DBM_OK) {
        dbm__cache_drop(c, e);
        return st;
    }
    e->plain = !named && e->prepared.data && !e->prepared.writes && e->verb == DBM__VERB_READ;
    e->uses = 1;
    if (keep) {
        e->cached = true;
        chain = dbm__cache_chain(k, hash);
        e->next_hash = *chain;
        *chain = e;
        dbm__cache_link(k, e);
        k->hints[dbm__cache_hint(sql)] = e;
        if (++k->count > k->limit) dbm__cache_evict(c);
    }
    *out = e;
    return DBM_OK;
}

/* ---- taking and giving --------------------------------------------------------------------------------------------- */


DBM__FN DBM__NOINLINE void dbm__cache_touch(dbm__cache *k, dbm__entry *e) {
    dbm__cache_unlink(k, e);
    dbm__cache_link(k, e);
}

DBM__INLINE void dbm__cache_use(dbm_connection *c, dbm__cache *k, dbm__entry *e) {
    if (k->newest != e) dbm__cache_touch(k, e);
    e->uses++;
    dbm__cache_count(&c->cache_hits);
}

static DBM__NOINLINE dbm_status dbm__cache_search(dbm_connection *c, const char *sql, bool named, int64_t deadline_us,
                                                  const char *site, dbm__entry **out) {
    dbm__cache *k = c->cache;
    dbm__entry *e;
    uint32_t hash = 0;
    size_t size;
    bool keep;
    *out = NULL;
    if (!sql) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, c->db->name, site, "the statement is NULL");
    size = strlen(sql);
    keep = k->limit > 0 && size <= (size_t)DBM__CACHE_TEXT_MAX;
    if (keep) {
        hash = dbm__cache_hash(sql, size);
        for (e = *dbm__cache_chain(k, hash); e; e = e->next_hash) {
            if (e->hash != hash || e->text_size != size || memcmp(e->text, sql, size) != 0) continue;
            if (!dbm__cache_serves(e, named)) continue;
            k->hints[dbm__cache_hint(sql)] = e;
            dbm__cache_use(c, k, e);
            *out = e;
            return DBM_OK;
        }
    }
    return dbm__cache_miss(c, sql, size, hash, named, keep, deadline_us, site, out);
}

DBM__FN dbm_status dbm__cache_take(dbm_connection *c, const char *sql, bool named, int64_t deadline_us, const char *site,
                                   dbm__entry **out) {
    dbm__cache *k = c->cache;
    dbm__entry *e = k->hints[dbm__cache_hint(sql)];
    if (DBM__LIKELY(e && sql && dbm__cache_serves(e, named) && strcmp(e->text, sql) == 0)) {
        dbm__cache_use(c, k, e);
        *out = e;
        return DBM_OK;
    }
    return dbm__cache_search(c, sql, named, deadline_us, site, out);
}

DBM__FN void dbm__cache_give(dbm_connection *c, dbm__entry *e) {
    DBM_ASSERT(e->uses > 0);
    if (--e->uses) return;
    if (DBM__UNLIKELY(!e->cached)) dbm__cache_drop(c, e);
    else if (DBM__UNLIKELY(c->cache->count > c->cache->limit)) dbm__cache_evict(c);
}
/* --- end src/sql/cache.c --- */
/* --- begin src/session/session.h --- */
/* Sessions: the unit of work on a slot of a pool.
 * May call: api/, base/, adapter/, pool/, sql/.
 * Must not know: names, files, models; which database it is.
 *
 * A work is a slot with the state of its session behind it. It has levels: the lowest is the session that checked the connection out, each
 * further one a block that joined it as a savepoint. The session value in the caller's frame names slot and gen; only the gen of the
 * top level is good, so a late, double or suspended use is told apart by one comparison.
 *
 *     take --> idle --statement--> in transaction --commit/rollback--> idle --> give
 *                 BEGIN rides here;  sticky failure: nothing more is sent but ROLLBACK
 *
 * Savepoints are numbered by depth and sent late: `points` are wanted, `points_sent` exist on the server. */
#ifndef DBM__SESSION_H
#define DBM__SESSION_H

#ifdef __cplusplus
extern "C" {
#endif

/* CALL: of one call on a database, which stays on its thread. ROWS: the same, but its rows may go to another thread. */
enum { DBM__KIND_BLOCK = 0, DBM__KIND_HAND, DBM__KIND_AUTO, DBM__KIND_CALL, DBM__KIND_ROWS };

typedef struct dbm__level {
    /* At rest all of this block is zero, and the lowest level's is made so again at its end. */
    bool ran, wrote;                     /* since this level's unit began */
    bool committed;                      /* the last unit was, by dbm_commit */
    bool asked;                          /* the last unit ended by dbm_commit or dbm_rollback */
    bool ended;                          /* the end of the block was reached */
    bool undone;                         /* what failed has been rolled back to a savepoint: dbm_clear_error may lift it */
    bool unused[2];
    int point;                           /* the savepoint that this level is, 0: the lowest level */
    int points;                          /* of the work when this level began */
    int failed_at;                       /* `points` when the sticky failure arose */
    dbm_status sticky;

    dbm_status outcome;
    int kind;
    uint32_t gen;
    dbm_status *status;
    const char *site;
    int64_t deadline_us;
    struct dbm__level *outer, *inner;    /* inner: kept for the next one that joins */
    dbm_error_info error;                /* of sticky, or of outcome */
} dbm__level;

#define DBM__ARGUMENTS_KEPT ((size_t)16384)

/* The row in hand, and its query. */
struct dbm_row {
    struct dbm__work *work;
    dbm__entry *entry;
    dbm_op op;
    int64_t number;                      /* of the row in hand, from 1 */
    bool open;                           /* has a result or is at its end; else free */
    bool standing;                       /* a row is in hand */
    bool fresh;                          /* the first row was delivered by EXECUTE and not yet handed out */
    bool ended;
    bool held;
    bool looping;                        /* DBM_EACH: ends with its block */
    bool owns_session;                   /* of a call on a database: the session ends with it */
    uint32_t gen;                        /* of the level that opened it */
    const char *site;
    char *arguments;                     /* copied values and their texts; kept for the next query when it is small */
    size_t arguments_size;
    char *texts;                         /* numbers written out by dbm_row_text, 64 bytes a column */
    int texts_columns;
    void *kept;                          /* copies made for the row in hand: blobs read as text */
};
struct dbm_rows {
    struct dbm_row row;
    struct dbm_rows *next;
    /* Of a DBM_EACH on a database, in the list of its thread, so that a way out of the loop which the compiler does not see can end it. */
    struct dbm_rows *outer_loop;
    struct dbm__work *within;            /* the block around it, */
    uint32_t within_gen;                 /* and its level */
    uint32_t loop;                       /* its number on the thread */
};

struct dbm_statement {
    struct dbm_statement *next;
    struct dbm__work *work;
    uint32_t gen;                        /* of the work's lowest level; 0: free */
    uint32_t ended_in;                   /* the gen that it had */
    dbm__entry *entry;                   /* NULL after a reconnect: found again by text */
    char *sql;                           /* the text, from a reconnect on; before that the entry has it */
    const char *site;
};

typedef struct dbm__work {
    dbm__slot slot;                      /* first: a slot of this pool is a work */
    dbm_database *db;
    dbm__level *top;
    uint32_t gen;                        /* of top; read by values that came too late, so by atomics */
    uint32_t serial;
    dbm__word trouble;                   /* not 0: a failure sticks, or cancelled: look before sending */
    /* At rest these are as the database's configuration says; a session that changed one sets `unusual`, and its end sets them right. */
    bool unusual;
    bool autocommit, read_only, write, no_transaction;
    bool timed;                          /* a deadline of any kind is set */
    bool echo;
    bool lane;                           /* plain reads may go the short way: no deadline, no echo, a blocking adapter without sockets */
    bool in_transaction, gate_held;
    bool wrote;                          /* in this transaction */
    bool joinable;
    dbm_isolation isolation;
    int points, points_sent;
    int open_rows;
    int64_t affected, last_id;
    dbm__word cancelled;
    dbm__word cancellers;                /* dbm_cancel calls in flight; the end of the session waits for them */
    dbm__word committing;                /* a COMMIT is under way: not to be interrupted */
    dbm_rows *rows;                      /* open ones */
    /* Ended ones, taken again in the order they ended, in a later session, or when DBM__SPARE are there: a handle that is used after its
     * end then still stands for nothing. */
#define DBM__SPARE 4
    dbm_rows *free_rows;                 /* those that loops have ended, which nobody can use any more: taken first */
    dbm_rows *spare_rows, *last_spare_rows;
    dbm_statement *statements, *spare_statements, *last_spare_statement;
    int spare_rows_count, spare_statements_count;
    struct dbm__work *outer_open;        /* the block of this thread that was open before this one */
    dbm__thread *begun_by;               /* of a session by hand: the thread, */
    uint32_t loops_before;               /* and how many loops it had made */
    dbm__level base;
    dbm_rows one;                        /* of dbm_query_one */
} dbm__work;

/* ---- unit.c: begin, commit, roll back, stick ---- */
DBM__FN bool dbm__level_stick(dbm__level *level, const dbm_error_info *e, int points); /* the first failure of a unit stays */
DBM__FN dbm_status dbm__work_fail(dbm__work *w, const char *site);      /* makes the thread's last failure stick; returns its status */
DBM__FN dbm_status dbm__work_trouble(dbm__work *w, const char *site);   /* the sticky failure again, or E_CANCELLED */
DBM__FN void dbm__work_look_again(dbm__work *w);                        /* after a failure was lifted */
DBM__FN dbm_status dbm__work_start(dbm__work *w, bool writes, const char *site); /* BEGIN and savepoints that are due */
DBM__FN dbm_status dbm__work_commit(dbm__work *w);
DBM__FN dbm_status dbm__work_rollback(dbm__work *w, bool quiet);
DBM__FN dbm_status dbm__work_point_release(dbm__work *w, int point);
DBM__FN dbm_status dbm__work_point_rollback(dbm__work *w, int point);
DBM__FN int64_t dbm__work_deadline(dbm__work *w);                       /* of the next operation */
DBM__FN void dbm__work_gate_leave(dbm__work *w);
DBM__FN dbm_status dbm__connection_made(dbm_connection *c, int64_t deadline_us);
DBM__FN void dbm__connection_gone(dbm_connection *c);
DBM__FN void dbm__connection_forked(dbm_connection *c);
DBM__FN void dbm__works_free(dbm_database *db);
DBM__FN void dbm__works_init(dbm_database *db);
DBM__FN void dbm__work_restore(dbm__work *w);                           /* to what a work is at rest */

/* ---- block.c: sessions begin and end ---- */
DBM__FN dbm_status dbm__session_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, int kind, const char *site,
                                     dbm_session *out);
DBM__FN dbm_status dbm__session_close(dbm_session *s);
DBM__FN dbm_session dbm__block_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site);
DBM__FN dbm_session dbm__retry_begin_on(dbm_database *db, int attempts, const char *site);
/* Notes the outcome of a session that could not begin. */
DBM__FN dbm_status dbm__session_refused(dbm_session *out, dbm_status *status, dbm_status st, int kind);
DBM__FN dbm__work *dbm__open_block(dbm_database *db);                   /* of this thread and database, or NULL */
/* Why a session value is not good: its own status, stale, suspended, forked. Sets the last failure. */
DBM__FN dbm_status dbm__session_bad(dbm_session *s, const char *site);
DBM__INLINE dbm__work *dbm__work_of(dbm_session *s) {
    dbm__work *w = (dbm__work *)s->slot;
    dbm__fork_look();
    if (DBM__UNLIKELY(w == NULL || s->gen != dbm__load32(&w->gen) || dbm__load(&w->slot.pool->fork) != dbm__fork_epoch())) return NULL;
    return w;
}

/* ---- statement.c: one call from its target to its end ---- */
typedef struct dbm__call {
    dbm__work *work;
    dbm_session own;                     /* of a call on a database outside of a block */
    bool owns;
} dbm__call;
DBM__FN dbm_status dbm__call_begin(dbm__call *call, dbm_session *on, int kind, const char *site); /* kind: DBM__KIND_CALL or _ROWS */
DBM__FN dbm_status dbm__call_end(dbm__call *call, dbm_status st);
DBM__FN dbm_status dbm__statement_failed(dbm__work *w, const char *sql, const char *site);
DBM__FN dbm_status dbm__values_copy(dbm__work *w, const dbm_value *in, int count, dbm_value *out, bool *named, const char *site);
DBM__FN dbm_status dbm__statement_ready(dbm_statement *st, const char *site);
DBM__FN dbm_status dbm__work_renew(dbm__work *w);                       /* another connection in the place of one that broke */
/* A command of the backend's own, on a session or a database: `values` are its arguments, any number, values[0] the text that names it. *out
 * holds its rows (none: it is at its end) until dbm_rows_end(). For data/. */
DBM__FN dbm_status dbm__command(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes, dbm_rows **out);
/* A statement without rows. */
DBM__FN dbm_status dbm__work_exec(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, const char *site);

/* ---- cursor.c: queries and rows ---- */
DBM__FN dbm_status dbm__work_query(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, bool one,
                                   const char *site, dbm_rows **out);
DBM__FN dbm_rows *dbm__rows_new(dbm__work *w);                          /* NULL: no memory */
DBM__FN void dbm__rows_reset(dbm__work *w, dbm_rows *rows, const char *site);
DBM__FN void dbm__rows_opened(dbm__work *w, dbm_rows *rows);
DBM__FN void dbm__rows_spare(dbm__work *w, dbm_rows *rows);
DBM__FN void dbm__rows_close(dbm_rows *rows);
DBM__FN void dbm__rows_close_all(dbm__work *w);
DBM__FN void dbm__loops_end(dbm__thread *self, uint32_t after);         /* those of the innermost block, down to loop number `after` */
DBM__FN dbm_status dbm__rows_hold(dbm__work *w, const char *site);      /* before a statement that writes, or, with `one_result`, before anything is sent */
/* Resolves the entry, starts what must start, runs EXECUTE; used by exec and query. */
DBM__FN dbm_status dbm__work_run(dbm__work *w, const char *sql, dbm_statement *st, bool named, const char *site, dbm_value *values, int count,
                                 dbm_op *op, dbm__entry **entry, dbm_rows *rows);

/* ---- for data/ ---- */
DBM__FN dbm_database *dbm__on_database(dbm_session *on);
DBM__FN dbm__host *dbm__on_host(dbm_session *on);
DBM__FN dbm_status dbm__on_fail(dbm_session *on, dbm_status status, const char *site, const char *format, ...);
DBM__FN dbm_status dbm__on_group(dbm_session *on, const char *site, dbm_status (*fn)(dbm_session *s, void *ud), void *ud);
DBM__FN dbm_status dbm__row_fail(dbm_row *row, dbm_status status, int column, const char *format, ...);
DBM__FN int64_t dbm__row_number(dbm_row *row);
DBM__FN int dbm__row_find(dbm_row *row, const char *name);

#ifdef __cplusplus
}
#endif
#endif /* DBM__SESSION_H */
/* --- end src/session/session.h --- */
/* --- begin src/session/unit.c --- */
/* The unit of work: BEGIN with the first statement, verified COMMIT, ROLLBACK that leaves nothing, sticky failures, savepoints.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: how a session came to be, or where its statements come from. */

/* ---- failures that stick ---------------------------------------------------------------------------------------------- */

DBM__FN bool dbm__level_stick(dbm__level *level, const dbm_error_info *e, int points) {
    if (level->sticky != DBM_OK) return false;
    level->sticky = e->status;
    level->error = *e;
    level->failed_at = points;
    level->undone = false;
    return true;
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_fail(dbm__work *w, const char *site) {
    dbm_error_info *e = &dbm__self()->last;
    if (site != NULL && e->site[0] == 0) dbm__copy_cut(e->site, sizeof e->site, site);
    if (e->database[0] == 0) dbm__copy_cut(e->database, sizeof e->database, w->db->name);
    if (e->status == DBM_DONE || e->status == DBM_E_NOT_FOUND) return e->status;
    if (dbm__level_stick(w->top, e, w->points)) dbm__store(&w->trouble, 1);
    return e->status;
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_trouble(dbm__work *w, const char *site) {
    if (w->top->sticky != DBM_OK) return dbm__fail_again(&w->top->error);
    if (dbm__load(&w->cancelled) != 0) {
        dbm__fail(DBM_E_CANCELLED, DBM_STAGE_STATEMENT, w->db->name, site, "the session was cancelled by dbm_cancel");
        return dbm__work_fail(w, site);
    }
    dbm__work_look_again(w);
    return DBM_OK;
}

/* Lifts `trouble` where nothing is left of it. A dbm_cancel that comes meanwhile is not lifted: it sets `cancelled` first. */
DBM__FN DBM__NOINLINE void dbm__work_look_again(dbm__work *w) {
    dbm__swap(&w->trouble, 0);
    if (w->top->sticky != DBM_OK || dbm__load_ordered(&w->cancelled) != 0) dbm__store(&w->trouble, 1);
}

DBM__FN int64_t dbm__work_deadline(dbm__work *w) {
    int64_t d;
    int ms;
    if (DBM__LIKELY(!w->timed)) return INT64_MAX;
    d = w->top->deadline_us;
    ms = w->db->settings->config.statement_timeout_ms;
    if (ms > 0) {
        int64_t s = dbm__deadline(w->db->host, ms);
        if (s < d) d = s;
    }
    return d;
}

/* The deadline of what must be done however late it is: a second more than is left, for ROLLBACK. */
static int64_t dbm__work_grace(dbm__work *w) {
    int64_t d, g;
    if (!w->timed) return INT64_MAX;
    d = dbm__work_deadline(w);
    g = dbm__deadline(w->db->host, 1000);
    return d > g ? d : g;
}

/* ---- begin -------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__work_gate_leave(dbm__work *w) {
    if (!w->gate_held) return;
    w->gate_held = false;
    dbm__gate_leave(w->db, w->db->gate);
}

static dbm_status dbm__work_gate(dbm__work *w, bool patient, const char *site) {
    int64_t deadline;
    dbm_status st;
    if (w->db->gate == NULL || w->gate_held) return DBM_OK;
    deadline = dbm__work_deadline(w);
    if (deadline == INT64_MAX) deadline = dbm__deadline(w->db->host, w->db->settings->config.pool.timeout_ms > 0 ? w->db->settings->config.pool.timeout_ms : 30000);
    st = dbm__gate_enter(w->db, w->db->gate, dbm__load(&w->slot.holder), deadline, patient, &w->cancelled, site);
    if (st == DBM_OK) w->gate_held = true;
    return st;
}

DBM__FN dbm_status dbm__work_start(dbm__work *w, bool writes, const char *site) {
    dbm_op op;
    dbm_status st;
    if (w->no_transaction) return writes ? dbm__work_gate(w, w->open_rows == 0 || !w->slot.connection.readers_block, site) : DBM_OK;
    if (!w->in_transaction) {
        bool write = writes || w->write;
        if (write && (st = dbm__work_gate(w, true, site)) != DBM_OK) return st;
        dbm__op_init(&op, DBM_OP_BEGIN, dbm__work_deadline(w));
        op.isolation = w->isolation;
        op.read_only = w->read_only;
        op.write = write;
        st = dbm__op_run(&w->slot.connection, &op);
        if (st != DBM_OK) {
            dbm__work_gate_leave(w);
            return st;
        }
        w->in_transaction = true;
        w->wrote = false;
        w->points_sent = 0;
    } else if (writes && w->db->gate != NULL && !w->gate_held) {
        st = dbm__work_gate(w, !w->slot.connection.readers_block, site);
        if (st != DBM_OK) return st;
    }
    while (DBM__UNLIKELY(w->points_sent < w->points)) {
        if (!w->db->savepoints) return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_BEGIN, w->db->name, site, "an adapter of type %q has no savepoints", w->db->adapter->type);
        dbm__op_init(&op, DBM_OP_SAVEPOINT, dbm__work_deadline(w));
        op.savepoint = w->points_sent + 1;
        st = dbm__op_run(&w->slot.connection, &op);
        if (st != DBM_OK) return st;
        w->points_sent++;
    }
    return DBM_OK;
}

/* ---- end ---------------------------------------------------------------------------------------------------------------- */

/* From here on a dbm_cancel finds a COMMIT and leaves it alone; one that is in flight has finished. */
static void dbm__work_shield(dbm__work *w) {
    dbm__swap(&w->committing, 1);
    while (dbm__load_ordered(&w->cancellers) != 0) dbm__sleep_us(50);
}

DBM__FN dbm_status dbm__work_rollback(dbm__work *w, bool quiet) {
    dbm_status st = DBM_OK;
    dbm__rows_close_all(w);
    if (w->in_transaction) {
        dbm_error_info kept;
        dbm_op op;
        if (quiet) kept = dbm__self()->last;
        if (!w->slot.connection.broken) {
            if (DBM__UNLIKELY(dbm__load(&w->cancelled) != 0)) dbm__work_shield(w); /* a cancel in flight must not hit the ROLLBACK */
            dbm__op_init(&op, DBM_OP_ROLLBACK, dbm__work_grace(w));
            st = dbm__op_run(&w->slot.connection, &op);
            if (st != DBM_OK) w->slot.connection.broken = true; /* an open transaction never goes to the next user */
            dbm__store(&w->committing, 0);
        }
        w->in_transaction = false;
        w->points_sent = 0;
        if (quiet) dbm__self()->last = kept;
    }
    dbm__work_gate_leave(w);
    w->wrote = false;
    return st;
}

DBM__FN dbm_status dbm__work_commit(dbm__work *w) {
    dbm_status st = DBM_OK;
    if (w->in_transaction) {
        dbm_op op;
        dbm__op_init(&op, DBM_OP_COMMIT, dbm__work_deadline(w));
        if (w->timed && dbm__now(w->db->host) >= op.deadline_us) {
            dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_COMMIT, w->db->name, w->top->site, "the deadline passed before the commit; everything was rolled back");
            st = dbm__work_fail(w, NULL);
            dbm__work_rollback(w, true);
            return st;
        }
        op.no_wait = w->read_only && !w->wrote;
        dbm__work_shield(w);
        st = dbm__op_run(&w->slot.connection, &op);
        dbm__store(&w->committing, 0);
        if (DBM__UNLIKELY(st != DBM_OK)) {
            dbm_error_info *e = &dbm__self()->last;
            e->stage = DBM_STAGE_COMMIT;
            if (w->slot.connection.broken && w->wrote && (st == DBM_E_LOST || st == DBM_E_TIMEOUT)) {
                char text[512];
                dbm__copy_cut(text, sizeof text, e->message);
                dbm__format(e->message, sizeof e->message, "the connection was lost while committing, so the work may be done or not: %s", text);
                e->status = st = DBM_E_IN_DOUBT;
                e->retryable = false;
                dbm__add(&w->slot.pool->in_doubt, 1);
            }
            dbm__work_fail(w, w->top->site);
            if (st == DBM_E_ROLLED_BACK) w->in_transaction = false;
            dbm__work_rollback(w, true);
            return st;
        }
        w->in_transaction = false;
        w->points_sent = 0;
    }
    dbm__work_gate_leave(w);
    w->wrote = false;
    return DBM_OK;
}

DBM__FN dbm_status dbm__work_point_release(dbm__work *w, int point) {
    dbm_status st = DBM_OK;
    if (w->points_sent >= point && w->in_transaction) {
        dbm_op op;
        if (w->open_rows != 0 && w->db->one_result && (st = dbm__rows_hold(w, NULL)) != DBM_OK) return st;
        dbm__op_init(&op, DBM_OP_RELEASE, dbm__work_deadline(w));
        op.savepoint = point;
        st = dbm__op_run(&w->slot.connection, &op);
        if (st == DBM_OK) w->points_sent = point - 1;
    }
    return st;
}

DBM__FN dbm_status dbm__work_point_rollback(dbm__work *w, int point) {
    dbm_status st = DBM_OK;
    if (w->points_sent >= point && w->in_transaction && !w->slot.connection.broken) {
        dbm_error_info kept = dbm__self()->last;
        dbm_op op;
        st = dbm__rows_hold(w, NULL);
        if (st == DBM_OK) {
            dbm__op_init(&op, DBM_OP_ROLLBACK_TO, dbm__work_grace(w));
            op.savepoint = point;
            st = dbm__op_run(&w->slot.connection, &op);
        }
        if (st == DBM_OK) {
            w->points_sent = point - 1;
            dbm__self()->last = kept;
        }
    }
    return st;
}

/* ---- what a connection carries ------------------------------------------------------------------------------------------- */

/* Runs the statements of init_sql, each by itself, and leaves no transaction behind. */
static dbm_status dbm__init_sql(dbm_connection *c, const char *sql, int64_t deadline_us) {
    size_t at = 0, size = strlen(sql);
    while (at < size) {
        size_t next = size, length = dbm__sql_statement_end(sql + at, size - at, c->db->adapter->lexer, &next);
        dbm__entry *entry;
        dbm_op op;
        dbm_status st;
        char *text;
        const char *p = sql + at;
        while (length > 0 && (p[0] == ' ' || p[0] == '\n' || p[0] == '\t' || p[0] == '\r')) { p++; length--; }
        if (length > 0) {
            text = dbm__copy_text(c->db->host, p, length);
            if (text == NULL) return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
            st = dbm__cache_take(c, text, false, deadline_us, "init_sql", &entry);
            dbm__free(c->db->host, text);
            if (st != DBM_OK) return st;
            dbm__op_init(&op, DBM_OP_EXECUTE, deadline_us);
            op.sql = entry->prepared.sql;
            op.sql_size = entry->prepared.sql_size;
            op.prepared = &entry->prepared;
            st = dbm__op_run(c, &op);
            while (st == DBM_OK && op.result != NULL && (op.row || op.kind == DBM_OP_FETCH)) {
                op.row = false;
                op.kind = DBM_OP_FETCH;
                st = dbm__op_run(c, &op);
            }
            if (op.result != NULL) {
                dbm_error_info kept = dbm__self()->last;
                op.kind = DBM_OP_FINISH;
                dbm__op_run(c, &op);
                dbm__self()->last = kept;
            }
            dbm__cache_give(c, entry);
            if (st != DBM_OK && st != DBM_DONE) return st;
        }
        at += next;
    }
    return DBM_OK;
}

DBM__FN dbm_status dbm__connection_made(dbm_connection *c, int64_t deadline_us) {
    const dbm_config *config = &c->db->settings->config;
    dbm_status st = dbm__cache_make(c, config->statement_cache);
    if (st != DBM_OK) return st;
    if (config->init_sql != NULL && config->init_sql[0] != 0) st = dbm__init_sql(c, config->init_sql, deadline_us);
    return st;
}

DBM__FN void dbm__connection_gone(dbm_connection *c) { dbm__cache_free(c); }

DBM__FN DBM__NOINLINE void dbm__work_restore(dbm__work *w) {
    w->unusual = false;
    w->autocommit = w->db->autocommit;
    w->read_only = w->write = false;
    w->no_transaction = !w->db->transactions || w->db->autocommit;
    w->timed = w->db->settings->config.statement_timeout_ms > 0;
    w->echo = w->db->settings->config.echo != DBM_ECHO_OFF;
    w->lane = !w->timed && !w->echo && !w->db->one_result && w->db->adapter->start == NULL && w->db->adapter->execute != NULL && !(w->db->adapter->flags & DBM_ADAPTER_SOCKET);
    w->isolation = w->db->isolation;
    w->in_transaction = w->wrote = false;
    w->points = w->points_sent = 0;
    dbm__store(&w->trouble, 0);
    dbm__store(&w->cancelled, 0);
    dbm__store(&w->slot.connection.cancelled, 0);
    if (w->top != &w->base) w->top = &w->base; /* a value that came too late may be looking, under the pool's lock */
    w->base.ran = w->base.wrote = w->base.committed = w->base.asked = w->base.ended = w->base.undone = false;
    w->base.point = w->base.points = w->base.failed_at = 0;
    w->base.sticky = DBM_OK;
    w->base.deadline_us = INT64_MAX;
}

/* In a child process: what the parent's session had open is dropped without a word, and no value of it is good any more. */
DBM__FN void dbm__connection_forked(dbm_connection *c) {
    dbm__work *w = (dbm__work *)(void *)((char *)c - offsetof(dbm__slot, connection));
    dbm_rows *rows = &w->one;
    dbm__level *level;
    for (;;) {
        if (rows->row.open && rows->row.entry != NULL) dbm__cache_give(c, rows->row.entry);
        rows->row.entry = NULL;
        rows->row.op.result = NULL;
        rows->row.open = rows->row.standing = rows->row.fresh = false;
        rows->row.ended = true;
        if (rows != &w->one) {
            w->rows = rows->next;
            dbm__rows_spare(w, rows);
        }
        rows = w->rows;
        if (rows == NULL) break;
    }
    dbm__self()->loops = NULL;
    while (w->statements != NULL) dbm_stmt_end(w->statements);
    for (level = w->base.inner; level != NULL; level = level->inner) level->gen = 0;
    w->top = &w->base;
    w->slot.fork_gen = w->serial; /* all gens so far are the parent's */
    w->serial++;
    w->gen = w->base.gen = w->serial;
    dbm__store(&w->slot.gen, w->serial);
    w->base.ran = w->base.wrote = w->base.committed = w->base.asked = w->base.ended = w->base.undone = false;
    w->in_transaction = w->wrote = w->gate_held = w->joinable = false;
    w->open_rows = 0;
    dbm__store(&w->cancellers, 0);
    dbm__store(&w->committing, 0);
    dbm__work_restore(w);
}

DBM__FN void dbm__works_init(dbm_database *db) {
    int i;
    db->on_fork = dbm__connection_forked;
    db->on_connect = dbm__connection_made;
    db->on_disconnect = dbm__connection_gone;
    for (i = 0; i < db->pool->slot_count; i++) {
        dbm__work *w = (dbm__work *)(void *)dbm__pool_slot(db->pool, i);
        w->db = db;
        dbm__work_restore(w);
    }
}

static void dbm__rows_free(dbm_database *db, dbm_rows *rows) {
    while (rows != NULL) {
        dbm_rows *next = rows->next;
        dbm__free(db->host, rows->row.arguments);
        dbm__free(db->host, rows->row.texts);
        dbm__free(db->host, rows);
        rows = next;
    }
}

DBM__FN void dbm__works_free(dbm_database *db) {
    int i;
    if (db->pool == NULL) return;
    for (i = 0; i < db->pool->slot_count; i++) {
        dbm__work *w = (dbm__work *)(void *)dbm__pool_slot(db->pool, i);
        dbm__level *level = w->base.inner;
        while (level != NULL) {
            dbm__level *inner = level->inner;
            dbm__free(db->host, level);
            level = inner;
        }
        dbm__rows_free(db, w->rows);
        dbm__rows_free(db, w->spare_rows);
        dbm__rows_free(db, w->free_rows);
        while (w->spare_statements != NULL) {
            dbm_statement *next = w->spare_statements->next;
            dbm__free(db->host, w->spare_statements);
            w->spare_statements = next;
        }
        dbm__free(db->host, w->one.row.arguments);
        dbm__free(db->host, w->one.row.texts);
    }
}
/* --- end src/session/unit.c --- */
/* --- begin src/session/block.c --- */
/* How sessions begin and end: blocks, joining, savepoints, retry, cancel, and the report of the outcome.
 * May call: api/, base/, adapter/, pool/, session.h.
 * Must not know: names of databases, statements. */

/* ---- values that are not good --------------------------------------------------------------------------------------------- */

/* The level that has this gen, or NULL, and whether a block is open inside it. A value that came too late may meet a slot that another
 * thread has by now. */
static dbm__level *dbm__level_of(dbm__work *w, uint32_t gen, bool *suspended) {
    dbm__level *level = &w->base;
    dbm__lock_take(&w->slot.pool->lock);
    while (level != NULL && dbm__load32(&level->gen) != gen) level = level->inner;
    *suspended = level != NULL && level != w->top;
    dbm__lock_give(&w->slot.pool->lock);
    return level;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_bad(dbm_session *s, const char *site) {
    dbm__work *w;
    dbm__level *level;
    bool suspended;
    if (s == NULL) return dbm__fail_null("session");
    if (s->slot == NULL) { /* it failed to begin, or has ended */
        dbm_status st = (dbm_status)s->gen;
        if (s->gen == 0) {
            return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, site, "this session has ended, or was never begun");
        }
        if (dbm__self()->last.status == st) return st;
        return dbm__fail(st, DBM_STAGE_CHECKOUT, NULL, site, "the session did not begin: %s", dbm_status_text(st));
    }
    w = (dbm__work *)s->slot;
    if (dbm__load(&w->slot.pool->fork) != dbm__fork_epoch() || (w->slot.fork_gen != 0 && s->gen <= w->slot.fork_gen)) {
        return dbm__fail(DBM_E_FORKED, DBM_STAGE_NONE, w->db->name, site,
                         "the session was open when the process forked; it belongs to the parent: begin another one here");
    }
    level = dbm__level_of(w, s->gen, &suspended);
    if (suspended) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, site,
                  "the session of %s is used while the block of %s inside it is open: use that one's session, or end it first",
                  level->site, w->top->site);
        dbm__level_stick(level, &dbm__self()->last, 0);
        return DBM_E_MISUSE;
    }
    dbm__add(&w->slot.pool->stale_handles, 1);
    dbm__event(w->db->host, DBM_EVENT_STALE_HANDLE, DBM_LOG_INFO, w->db->name, site, DBM_E_MISUSE, 0, "a session was used after its end");
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, site, "this session has ended; nothing was done");
}

/* ---- beginning ------------------------------------------------------------------------------------------------------------- */

DBM__FN dbm__work *dbm__open_block(dbm_database *db) {
    dbm__thread *self = dbm__self();
    dbm__work *w = (dbm__work *)self->open;
    if (DBM__LIKELY(w == NULL)) return NULL;
    dbm__fork_look();
    if (self->fork != dbm__fork_epoch()) { /* what is open there is the parent's */
        self->fork = dbm__fork_epoch();
        self->open = NULL;
        return NULL;
    }
    while (w != NULL && (w->db != db || !w->joinable)) w = w->outer_open;
    return w;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_refused(dbm_session *out, dbm_status *status, dbm_status st, int kind) {
    dbm__thread *self = dbm__self();
    out->slot = NULL;
    out->gen = (uint32_t)st;
    out->step = 0;
    if (status != NULL) *status = st;
    if (kind == DBM__KIND_BLOCK || kind == DBM__KIND_AUTO) {
        self->failed = self->last;
        self->has_failed = true;
    }
    return st;
}

static void dbm__level_init(dbm__level *level, int kind, dbm_status *status, const char *site, int64_t deadline_us) {
    level->kind = kind;
    level->point = level->points = 0;
    level->ran = level->wrote = level->committed = level->asked = level->ended = level->undone = false;
    level->sticky = DBM_OK;
    level->outcome = DBM_ROLLED_BACK;
    level->status = status;
    level->site = site;
    level->deadline_us = deadline_us;
    if (status != NULL) *status = DBM_ROLLED_BACK;
}

/* A block inside another one of the same database on this thread. */
static DBM__NOINLINE dbm_status dbm__session_join(dbm__work *w, const dbm_session_options *options, dbm_status *status, int kind, const char *site,
                                                  dbm_session *out) {
    dbm__level *level;
    int64_t deadline = w->top->deadline_us;
    const char *what = NULL;
    if (options != NULL) {
        if (options->isolation != DBM_ISOLATION_DEFAULT && options->isolation != w->isolation) what = "isolation";
        if (options->read_only && !w->read_only) what = "read_only";
        if (options->write && !w->write && !w->gate_held && w->db->gate != NULL && w->in_transaction) what = "write";
        if (options->autocommit && !w->autocommit) what = "autocommit";
        if (what == NULL && options->write) w->write = w->unusual = true; /* the transaction, when it begins, begins as one that writes */
    }
    if (what != NULL) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_BEGIN, w->db->name, site,
                  "the block joins the one of %s, whose .%s is another: give the outer block the option, or this one .separate = 1", w->top->site, what);
        return dbm__session_refused(out, status, DBM_E_MISUSE, kind);
    }
    level = w->top->inner;
    if (level == NULL) {
        level = (dbm__level *)dbm__alloc_zero(w->db->host, sizeof *level);
        if (level == NULL) {
            dbm__no_memory(DBM_STAGE_BEGIN, w->db->name, site);
            return dbm__session_refused(out, status, DBM_E_NOMEM, kind);
        }
        level->outer = w->top;
    }
    if (options != NULL && options->timeout_ms > 0) {
        int64_t shorter = dbm__deadline(w->db->host, options->timeout_ms);
        if (shorter < deadline) deadline = shorter;
        w->timed = w->unusual = true;
        w->lane = false;
    }
    dbm__level_init(level, kind, status, site, deadline);
    level->points = w->points;
    if (!w->no_transaction) level->point = ++w->points;
    /* The list of levels is walked by dbm_cancel under this lock. */
    dbm__lock_take(&w->slot.pool->lock);
    w->top->inner = level;
    dbm__store32(&level->gen, ++w->serial);
    dbm__store32(&w->gen, w->serial);
    w->top = level;
    dbm__lock_give(&w->slot.pool->lock);
    if (level->outer->sticky != DBM_OK) { /* nothing can run in there: it begins failed */
        level->sticky = level->outer->sticky;
        level->error = level->outer->error;
        dbm__store(&w->trouble, 1);
    }
    out->slot = w;
    out->gen = level->gen;
    out->step = 0;
    return DBM_OK;
}

/* What a session's options change on a work at rest. */
static DBM__NOINLINE void dbm__work_options(dbm__work *w, const dbm_session_options *options, int kind, int64_t deadline) {
    const dbm_database *db = w->db;
    w->unusual = true;
    if (options != NULL) {
        w->read_only = options->read_only;
        w->write = options->write;
        if (options->isolation != DBM_ISOLATION_DEFAULT) {
            w->isolation = options->isolation;
            w->autocommit = w->isolation == DBM_AUTOCOMMIT;
        }
        if (options->autocommit) w->autocommit = true;
    }
    if (kind >= DBM__KIND_CALL) w->autocommit = true;
    w->no_transaction = !db->transactions || w->autocommit;
    w->base.deadline_us = deadline;
    if (deadline != INT64_MAX) w->timed = true;
    if (w->timed || kind >= DBM__KIND_CALL) w->lane = false;
}

/* A work that was just taken becomes a session; it is at rest. */
DBM__INLINE void dbm__work_begin(dbm__work *w, dbm_status *status, int kind, const char *site, dbm_session *out) {
    uint32_t gen = ++w->serial;
    if (DBM__UNLIKELY(gen == 0)) gen = w->serial = 1; /* 0 means that there is none */
    dbm__store32(&w->gen, gen);
    dbm__store32(&w->base.gen, gen);
    dbm__store(&w->slot.gen, gen);
    w->base.outcome = DBM_ROLLED_BACK;
    w->base.kind = kind;
    w->base.status = status;
    w->base.site = site;
    w->affected = -1;
    w->last_id = 0;
    if (status != NULL) *status = DBM_ROLLED_BACK;
    out->slot = w;
    out->gen = gen;
    out->step = 0;
}

DBM__INLINE void dbm__block_push(dbm__thread *self, dbm__work *w) {
    w->joinable = true;
    w->outer_open = (dbm__work *)self->open;
    self->open = w;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, int kind, const char *site,
                                                   dbm_session *out) {
    dbm__work *w;
    dbm__slot *slot;
    dbm__thread *self = NULL;
    int64_t deadline = INT64_MAX;
    dbm_status st;
    dbm__fork_look();
    if (options != NULL && options->status != NULL) status = options->status;
    if (kind == DBM__KIND_BLOCK || kind == DBM__KIND_AUTO) {
        self = dbm__self();
        if (self->open == NULL) {
            self->has_failed = false;
            self->fork = dbm__fork_epoch();
        } else if (db != NULL && (options == NULL || !options->separate) && (w = dbm__open_block(db)) != NULL) {
            return dbm__session_join(w, options, status, kind, site, out);
        }
    }
    if (DBM__UNLIKELY(db == NULL)) return dbm__session_refused(out, status, dbm__fail_null("database"), kind);
    if (DBM__UNLIKELY(db->pool == NULL)) {
        dbm__fail(DBM_E_CLOSED, DBM_STAGE_CHECKOUT, db->name, site, "database %q is not open", db->name);
        return dbm__session_refused(out, status, DBM_E_CLOSED, kind);
    }
    if (options != NULL && options->timeout_ms > 0) deadline = dbm__deadline(db->host, options->timeout_ms);
    st = dbm__pool_take(db, deadline, self != NULL || kind == DBM__KIND_CALL ? dbm__thread_number() : 0, site, &slot);
    if (DBM__UNLIKELY(st != DBM_OK)) return dbm__session_refused(out, status, st, kind);
    w = (dbm__work *)(void *)slot;
    dbm__work_begin(w, status, kind, site, out);
    if (options != NULL || kind >= DBM__KIND_CALL) dbm__work_options(w, options, kind, deadline);
    if (self != NULL) dbm__block_push(self, w);
    else w->joinable = false;
    if (kind == DBM__KIND_HAND) {
        w->begun_by = dbm__self();
        w->loops_before = w->begun_by->loops_made;
    }
    return DBM_OK;
}

/* ---- ending ---------------------------------------------------------------------------------------------------------------- */

static void dbm__level_outcome(dbm__level *level, dbm_status st) {
    level->outcome = st;
    if (level->status != NULL) *level->status = st;
}

/* Rows that were opened in a level end with it; those of a level below are none of its business. */
static DBM__NOINLINE void dbm__level_rows_close(dbm__work *w, const dbm__level *level) {
    dbm_rows **p = &w->rows;
    if (level == &w->base) dbm__rows_close_all(w);
    else while (*p != NULL) {
        if ((*p)->row.gen == level->gen) dbm__rows_close(*p);
        else p = &(*p)->next;
    }
    if (w->no_transaction && w->open_rows == 0) dbm__work_gate_leave(w);
}

/* What the end of a block left early, or of a session by hand, does to what was not committed. */
static void dbm__level_abandon(dbm__work *w, dbm__level *level) {
    dbm_status st;
    if (w->no_transaction) { /* nothing is undone */
        dbm__level_rows_close(w, level);
        dbm__level_outcome(level, level->sticky);
        return;
    }
    if (level->sticky != DBM_OK) {
        if (level->point == 0) {
            dbm__work_rollback(w, true);
        } else if (dbm__work_point_rollback(w, level->point) != DBM_OK || (w->slot.connection.broken && w->in_transaction)) {
            level->outer->sticky = level->sticky; /* it could not be undone, or all is lost: the outer one must not commit */
            level->outer->error = level->error;
        }
        dbm__level_outcome(level, level->sticky);
        return;
    }
    /* Also when nothing ran in it: a block inside may have begun the transaction, or sent this level's savepoint. */
    st = level->point == 0 ? dbm__work_rollback(w, true) : dbm__work_point_rollback(w, level->point);
    if (st != DBM_OK && level->point != 0) {
        dbm__self()->last.status = st;
        level->outer->sticky = st;
        level->outer->error = dbm__self()->last;
    }
    if (level->wrote) {
        dbm__fail(DBM_E_LEFT_EARLY, DBM_STAGE_COMMIT, w->db->name, level->site,
                  "the session of %s was left before its end, so its writes were rolled back; to keep them, say dbm_commit(s) before return, break or goto",
                  level->site);
        level->error = dbm__self()->last;
        dbm__level_outcome(level, DBM_E_LEFT_EARLY);
        dbm__add(&w->slot.pool->left_early, 1);
        if (level->kind == DBM__KIND_BLOCK) {
            dbm__event(w->db->host, DBM_EVENT_LEFT_EARLY, DBM_LOG_WARNING, w->db->name, level->site, DBM_E_LEFT_EARLY, 0, "%s", level->error.message);
        }
    } else if (level->ran && !level->committed) {
        dbm__level_outcome(level, DBM_ROLLED_BACK);
    }
}

/* Commits one level, or its savepoint; the outcome is noted. */
static dbm_status dbm__level_commit(dbm__work *w, dbm__level *level) {
    dbm_status st;
    if (level->sticky != DBM_OK) {
        dbm_error_info kept;
        dbm__level_abandon(w, level);
        kept = level->error;
        dbm__level_outcome(level, level->sticky);
        dbm__fail_again(&kept);
        return level->sticky;
    }
    if (DBM__UNLIKELY(w->open_rows != 0)) {
        if (level == &w->base) dbm__rows_close_all(w);
        else dbm__level_rows_close(w, level);
    }
    if (level->point == 0) {
        st = level != &w->base ? DBM_OK : DBM__LIKELY(!w->in_transaction && !w->gate_held) ? DBM_OK : dbm__work_commit(w);
    } else {
        st = dbm__work_point_release(w, level->point);
        if (st != DBM_OK) {
            dbm__work_fail(w, level->site);
            dbm__level_abandon(w, level);
            return st;
        }
        if (level->wrote) level->outer->wrote = true;
        if (level->ran) level->outer->ran = true;
    }
    level->ran = level->wrote = false;
    level->committed = st == DBM_OK;
    dbm__level_outcome(level, st);
    return st;
}

/* What a session leaves behind beyond the usual: rows, handles, a cancel in flight, a place deeper in the list of open blocks. */
static DBM__NOINLINE void dbm__work_tidy(dbm__work *w) {
    while (dbm__load_ordered(&w->cancellers) != 0) dbm__sleep_us(50);
    dbm__rows_close_all(w);
    while (w->statements != NULL) dbm_stmt_end(w->statements);
    if (w->joinable) {
        dbm__work **p = (dbm__work **)(void *)&dbm__self()->open;
        while (*p != NULL && *p != w) p = &(*p)->outer_open;
        if (*p == w) *p = w->outer_open;
        w->joinable = false;
    }
}

/* Gives the connection back. From the swap on no dbm_cancel finds the session. */
DBM__INLINE void dbm__work_give(dbm__work *w, dbm__thread *self) {
    uint32_t gen = ++w->serial;
    dbm__store32(&w->gen, gen);
    dbm__swap(&w->slot.gen, gen);
    if (DBM__LIKELY(self->open == w)) {
        self->open = w->outer_open;
        w->joinable = false;
    }
    if (DBM__UNLIKELY(dbm__load_ordered(&w->cancellers) != 0 || w->one.row.open || w->rows != NULL || w->statements != NULL || w->joinable)) dbm__work_tidy(w);
    w->base.ran = w->base.wrote = w->base.committed = w->base.asked = w->base.ended = w->base.undone = false;
    if (DBM__UNLIKELY(w->unusual || w->points != 0 || dbm__load(&w->trouble) != 0 || dbm__load(&w->cancelled) != 0
                      || w->slot.connection.broken)) dbm__work_restore(w);
    dbm__pool_give(&w->slot);
}

/* A block that joined ends: the level below is the session again. */
static DBM__NOINLINE dbm_status dbm__level_pop(dbm__work *w, dbm__level *level, dbm_status st) {
    dbm__level_rows_close(w, level);
    w->points = level->points;
    dbm__lock_take(&w->slot.pool->lock);
    w->top = level->outer;
    dbm__store32(&w->gen, w->top->gen);
    dbm__store32(&level->gen, 0);
    dbm__lock_give(&w->slot.pool->lock);
    dbm__work_look_again(w);
    return st;
}

static DBM__NOINLINE void dbm__outcome_failed(dbm__thread *self, const dbm__level *level) {
    self->failed = level->error;
    self->has_failed = true;
}

/* The end of the top level: of the session, or of a block that joined. */
DBM__INLINE dbm_status dbm__level_end(dbm__work *w) {
    dbm__level *level = w->top;
    dbm__thread *self = dbm__self();
    dbm_status st;
    if (DBM__UNLIKELY(!level->ended)) dbm__level_abandon(w, level);
    st = level->outcome;
    if (level->status != NULL) *level->status = st;
    if (level->kind == DBM__KIND_BLOCK || level->kind == DBM__KIND_AUTO) {
        self->has_failed = false;
        if (DBM__UNLIKELY(st != DBM_OK && st != DBM_ROLLED_BACK)) dbm__outcome_failed(self, level);
    }
    if (DBM__UNLIKELY(level != &w->base)) return dbm__level_pop(w, level, st);
    dbm__work_give(w, self);
    return st;
}

static void dbm__session_empty(dbm_session *s) {
    s->slot = NULL;
    s->gen = 0;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_close(dbm_session *s) {
    dbm__work *w = dbm__work_of(s);
    dbm_status st;
    if (w == NULL) {
        if (s->slot == NULL) return (dbm_status)s->gen;
        st = dbm__session_bad(s, NULL);
        if (st == DBM_E_FORKED) dbm__session_empty(s);
        return st;
    }
    st = dbm__level_end(w);
    dbm__session_empty(s);
    return st;
}

/* ---- the public calls -------------------------------------------------------------------------------------------------------- */

DBM__DEF dbm_status dbm__session_begin(dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site) {
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CHECKOUT, NULL, site, "dbm_session_begin: out is NULL");
    return dbm__session_open(db, options, NULL, DBM__KIND_HAND, site, out);
}

DBM__DEF dbm_status dbm_session_end(dbm_session *s) {
    dbm_status st;
    if (s == NULL) return dbm__fail_null("session");
    if (s->slot == NULL) return DBM_OK;
    st = dbm__session_close(s);
    return st == DBM_ROLLED_BACK ? DBM_OK : st; /* nothing was written, or rolling back was asked for */
}

/* What commit and rollback refuse alike. */
static dbm_status dbm__end_allowed(dbm__work *w, const char *call) {
    dbm_rows *r;
    if (w->points > (w->top->point != 0 ? w->top->point : 0)) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_COMMIT, w->db->name, w->top->site, "%s inside DBM_SAVEPOINT: leave that block first", call);
        return dbm__work_fail(w, NULL);
    }
    for (r = w->rows; r != NULL; r = r->next) {
        if (w->top != &w->base && r->row.gen != w->top->gen) continue; /* of the block outside, which goes on with them */
        if (!r->row.ended || r->row.looping) {
            dbm__fail(DBM_E_MISUSE, DBM_STAGE_COMMIT, w->db->name, w->top->site,
                      "%s while the rows of %s are being read: end the loop, or call dbm_rows_end, first", call, r->row.site);
            return dbm__work_fail(w, NULL);
        }
    }
    return DBM_OK;
}

DBM__DEF dbm_status dbm_commit(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm_status st;
    if (w == NULL) return dbm__session_bad(s, NULL);
    if (w->top->sticky == DBM_OK && dbm__load(&w->trouble) != 0 && (st = dbm__work_trouble(w, w->top->site)) != DBM_OK) return st;
    st = dbm__end_allowed(w, "dbm_commit");
    if (st != DBM_OK) return st;
    w->top->asked = true;
    return dbm__level_commit(w, w->top);
}

DBM__DEF dbm_status dbm_rollback(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm__level *level;
    dbm_status st;
    if (w == NULL) return dbm__session_bad(s, NULL);
    level = w->top;
    st = dbm__end_allowed(w, "dbm_rollback");
    if (st != DBM_OK) return st;
    dbm__level_rows_close(w, level);
    if (level->point != 0 && w->slot.connection.broken && level->sticky != DBM_OK) return dbm__fail_again(&level->error); /* the outer one's work is lost too */
    st = level->point != 0 ? dbm__work_point_rollback(w, level->point) : level == &w->base ? dbm__work_rollback(w, true) : DBM_OK;
    /* A connection that died, or is out of step, has taken the transaction with it; what follows needs another one. */
    if (level == &w->base && w->slot.connection.broken) st = dbm__work_renew(w);
    level->sticky = DBM_OK;
    level->ran = level->wrote = level->committed = level->undone = false;
    level->asked = true;
    dbm__work_look_again(w);
    dbm__level_outcome(level, w->no_transaction ? DBM_OK : DBM_ROLLED_BACK);
    if (st != DBM_OK) return dbm__work_fail(w, level->site);
    return DBM_OK;
}

DBM__DEF dbm_status dbm_clear_error(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) return dbm__session_bad(s, NULL);
    if (w->top->sticky == DBM_OK) return DBM_OK;
    if (!w->top->undone && !w->no_transaction && w->in_transaction) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, w->top->site,
                         "dbm_clear_error: the transaction still holds half of the work; let the session end, call dbm_rollback(s), or put the part that may "
                         "fail into DBM_SAVEPOINT");
    }
    if (w->slot.connection.broken) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, w->top->site, "dbm_clear_error: the connection is lost; end the session");
    }
    w->top->sticky = DBM_OK;
    w->top->undone = false;
    dbm__work_look_again(w);
    return DBM_OK;
}

DBM__DEF dbm_status dbm_status_of(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) return dbm__session_bad(s, NULL);
    if (w->top->sticky == DBM_OK && dbm__load(&w->cancelled) != 0) return DBM_E_CANCELLED;
    return w->top->sticky;
}

DBM__DEF int64_t dbm_affected(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) { dbm__session_bad(s, NULL); return -1; }
    return w->affected;
}

DBM__DEF int64_t dbm_last_id(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) { dbm__session_bad(s, NULL); return 0; }
    return w->last_id;
}

DBM__DEF dbm_database *dbm_session_database(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) { dbm__session_bad(s, NULL); return NULL; }
    return w->db;
}

DBM__DEF dbm_status dbm_cancel(dbm_session *s) {
    dbm__work *w;
    bool match;
    if (s == NULL) return dbm__fail_null("session");
    if (s->slot == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_cancel: the session has ended, or never began");
    w = (dbm__work *)s->slot;
    dbm__add(&w->cancellers, 1);
    match = (uint32_t)dbm__load_ordered(&w->slot.gen) == s->gen;
    if (!match) { /* perhaps a block that joined */
        dbm__level *level;
        dbm__lock_take(&w->slot.pool->lock);
        for (level = w->base.inner; level != NULL && !match; level = level->inner) match = dbm__load32(&level->gen) == s->gen;
        dbm__lock_give(&w->slot.pool->lock);
    }
    if (match) {
        dbm__store(&w->cancelled, 1);
        dbm__store(&w->slot.connection.cancelled, 1);
        dbm__store_release(&w->trouble, 1);
        if (dbm__load_ordered(&w->committing) == 0 && w->db->adapter->cancel != NULL) w->db->adapter->cancel(&w->slot.connection);
        if (w->db->gate != NULL) dbm__gate_wake(w->db->gate);
    }
    dbm__add(&w->cancellers, (dbm__word)0 - 1u);
    if (match) return DBM_OK;
    dbm__add(&w->slot.pool->stale_handles, 1);
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, NULL, "dbm_cancel: the session has ended; nothing was cancelled");
}

DBM__DEF bool dbm_session_failed(dbm_error_info *out) {
    dbm__thread *self = dbm__self();
    if (!self->has_failed) return false;
    self->has_failed = false;
    if (out != NULL) *out = self->failed;
    return true;
}

DBM__DEF void dbm__take_failure(dbm__failure *f) {
    dbm__thread *self = dbm__self();
    f->pending = self->has_failed ? 1 : 0;
    f->info.status = DBM_OK;
    if (!self->has_failed) return;
    self->has_failed = false;
    f->info = self->failed;
}

/* ---- behind the block macros --------------------------------------------------------------------------------------------------- */

/* The plain block of a database that is ready, first on its thread: nothing but the checkout. */
DBM__FN dbm_session dbm__block_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site) {
    dbm_session s;
    dbm__thread *self = dbm__self();
    dbm__slot *slot;
    dbm__fork_look();
    if (DBM__LIKELY(options == NULL && self->open == NULL && self->number != 0 && db->pool != NULL)) {
        self->has_failed = false;
        self->fork = dbm__fork_epoch();
        if (DBM__LIKELY(dbm__pool_take(db, INT64_MAX, self->number, site, &slot) == DBM_OK)) {
            dbm__work *w = (dbm__work *)(void *)slot;
            dbm__work_begin(w, status, DBM__KIND_BLOCK, site, &s);
            dbm__block_push(self, w);
        } else {
            dbm__session_refused(&s, status, self->last.status, DBM__KIND_BLOCK);
        }
        return s;
    }
    dbm__session_open(db, options, status, DBM__KIND_BLOCK, site, &s);
    return s;
}

DBM__DEF dbm_session dbm__block_begin_on(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site) {
    dbm_session s;
    if (DBM__LIKELY(db != NULL)) return dbm__block_open(db, options, status, site);
    dbm__session_open(db, options, status, DBM__KIND_BLOCK, site, &s);
    return s;
}

/* Whether something of this level stands on the server; a block inside may have sent it, though nothing ran in the level itself. */
DBM__INLINE bool dbm__level_begun(const dbm__work *w, const dbm__level *level) {
    return level->point == 0 ? w->in_transaction : w->points_sent >= level->point;
}

static DBM__NOINLINE void dbm__block_finish(dbm__work *w, dbm__level *level) {
    if (dbm__load(&w->cancelled) != 0 && level->sticky == DBM_OK) dbm__work_trouble(w, level->site);
    /* An explicit dbm_commit or dbm_rollback with nothing after it stands. */
    if (level->ran || level->sticky != DBM_OK || !level->asked || dbm__level_begun(w, level)) dbm__level_commit(w, level);
}

DBM__DEF bool dbm__block_commit(dbm_session *s) {
    dbm__work *w = dbm__work_of(s);
    dbm__level *level;
    if (DBM__UNLIKELY(w == NULL)) return false;
    level = w->top;
    level->ended = true;
    if (DBM__LIKELY(!level->ran && !level->asked && dbm__load(&w->trouble) == 0 && !w->in_transaction)) { /* nothing was sent */
        if (DBM__UNLIKELY(w->rows != NULL)) dbm__level_rows_close(w, level);
        level->outcome = DBM_OK;
        return false;
    }
    dbm__block_finish(w, level);
    return false;
}

DBM__DEF void dbm__block_end(dbm_session *s) {
    dbm__work *w;
    if (DBM__UNLIKELY(s->slot == NULL)) return;
    w = dbm__work_of(s);
    if (DBM__UNLIKELY(w == NULL)) {
        dbm__session_close(s);
        return;
    }
    s->slot = NULL;
    s->gen = 0;
    dbm__level_end(w);
}

/* Ends what was opened on this thread inside level `gen` of w; w NULL: inside no block. */
static void dbm__unwind_to(dbm__thread *self, const dbm__work *w, uint32_t gen) {
    dbm__work *open;
    while ((open = (dbm__work *)self->open) != NULL && (open != w || open->top->gen != gen)) {
        dbm__loops_end(self, self->loops_made - INT32_MAX);
        dbm__level_end(open);
    }
}

DBM__DEF void dbm__unwind(dbm_session *s) {
    dbm__work *w;
    dbm__thread *self;
    bool suspended;
    if (s == NULL || s->slot == NULL) return;
    w = (dbm__work *)s->slot;
    if (dbm__level_of(w, s->gen, &suspended) == NULL) return;
    self = dbm__self();
    if (!w->joinable) { /* by hand: the blocks around it are not inside it */
        if (w->begun_by == self) dbm__loops_end(self, w->loops_before);
    } else { /* blocks of other databases, and loops on them, that were opened inside: newest first */
        dbm__unwind_to(self, w, s->gen);
        dbm__loops_end(self, self->loops_made - INT32_MAX);
    }
    dbm__session_close(s);
}

DBM__DEF void dbm__unwind_row(dbm_row *row) {
    dbm_rows *rows = (dbm_rows *)(void *)row;
    dbm__thread *self = dbm__self();
    if (row == NULL || !row->open) return;
    if (row->owns_session) {
        dbm__unwind_to(self, rows->within, rows->within_gen);
        dbm__loops_end(self, rows->loop);
    } else {
        dbm_rows *r = row->work->rows, *next;
        if (row->work->joinable) dbm__unwind_to(self, row->work, row->gen);
        for (; r != NULL && r != rows; r = next) {
            next = r->next;
            if (r->row.looping) dbm__rows_close(r);
        }
    }
    dbm_rows_end(rows);
}

/* Runs the body again while it pays: `step` holds the attempts left (bits 8..15) and made (bits 16..23). */
static bool dbm__retry_pause(dbm_database *db, uint32_t step) {
    int64_t limit = 5000;
    uint32_t made = step >> 16 & 255u, i;
    if ((step >> 8 & 255u) == 0) return false;
    for (i = 1; i < made && limit < 500000; i++) limit = limit * 3 / 2;
    if (limit > 500000) limit = 500000;
    dbm__event(db->host, DBM_EVENT_RETRY, DBM_LOG_DEBUG, db->name, NULL, dbm__self()->last.status, 0, "attempt %u failed, trying again: %s",
               (uint64_t)made, dbm__self()->last.message);
    if (db->pool != NULL) dbm__add(&db->pool->retries, 1);
    dbm__sleep_until(db->host, dbm__now(db->host) + limit * (int64_t)(dbm__random(db->host) & 0xffffu) / 65536);
    return true;
}

DBM__FN dbm_session dbm__retry_begin_on(dbm_database *db, int attempts, const char *site) {
    dbm_session s;
    uint32_t step;
    bool joined;
    if (attempts < 1) attempts = 1;
    if (attempts > 100) attempts = 100;
    step = (uint32_t)(attempts - 1) << 8 | 1u << 16;
    joined = db != NULL && dbm__open_block(db) != NULL;
    if (joined) step = 1u << 16;
    while (dbm__session_open(db, NULL, NULL, DBM__KIND_BLOCK, site, &s) != DBM_OK) {
        if (db == NULL || !dbm__self()->last.retryable || !dbm__retry_pause(db, step)) return s;
        step = (step & 0xff0000u) + 0x10000u + (((step >> 8 & 255u) - 1u) << 8);
    }
    s.step = step;
    return s;
}

DBM__DEF bool dbm__retry_next(dbm_session *s) {
    dbm__work *w = dbm__work_of(s);
    dbm_database *db;
    dbm_error_info error;
    const char *site;
    uint32_t step = s->step;
    if (w == NULL) return false;
    db = w->db;
    dbm__block_commit(s);
    if (w->top->outcome == DBM_OK || w->top->outcome == DBM_ROLLED_BACK || !w->top->error.retryable || (step >> 8 & 255u) == 0
        || w->top != &w->base || (w->top->asked && !w->top->ran && w->top->sticky == DBM_OK)) return false;
    error = w->top->error;
    site = w->top->site;
    dbm__session_close(s);
    dbm__self()->has_failed = false;
    dbm__fail_again(&error);
    for (;;) {
        dbm_status st;
        if (!dbm__retry_pause(db, step)) return false;
        step = (step & 0xff0000u) + 0x10000u + (((step >> 8 & 255u) - 1u) << 8);
        st = dbm__session_open(db, NULL, NULL, DBM__KIND_BLOCK, site, s);
        if (st == DBM_OK) break;
        if (!dbm__self()->last.retryable) return false;
    }
    s->step = step | DBM__STARTED;
    return true;
}

/* ---- savepoints ------------------------------------------------------------------------------------------------------------------ */

DBM__DEF dbm__savepoint dbm__savepoint_begin(dbm_session *s, dbm_status *status, const char *site) {
    dbm__savepoint p;
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    p.session = NULL;
    p.status = status;
    p.number = 0;
    p.state = 2;
    if (status != NULL) *status = DBM_ROLLED_BACK;
    if (w == NULL) {
        dbm_status st = dbm__session_bad(s, site);
        if (status != NULL) *status = st;
        return p;
    }
    if (w->top->sticky != DBM_OK) { /* the body does not run: nothing in it could */
        if (status != NULL) *status = w->top->sticky;
        return p;
    }
    if (w->no_transaction || !w->db->savepoints) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_BEGIN, w->db->name, site, "DBM_SAVEPOINT needs a transaction: %s",
                  w->db->transactions ? "this session is in autocommit" : "this backend has none");
        if (status != NULL) *status = DBM_E_UNSUPPORTED;
        dbm__work_fail(w, site);
        return p;
    }
    p.session = s;
    p.number = (uint32_t)++w->points;
    p.state = 0;
    return p;
}

/* The end of the body: kept, or undone when something in it failed. */
DBM__DEF bool dbm__savepoint_release(dbm__savepoint *p) {
    dbm__work *w;
    dbm_status st;
    if (p->state != 1) return false;
    w = dbm__work_of(p->session);
    if (w == NULL || w->points != (int)p->number || w->top->sticky != DBM_OK) return false; /* the end undoes it */
    p->state = 2;
    st = dbm__work_point_release(w, (int)p->number);
    if (st != DBM_OK) {
        dbm__work_fail(w, w->top->site);
        dbm__work_point_rollback(w, (int)p->number);
    }
    w->points = (int)p->number - 1;
    if (p->status != NULL) *p->status = st;
    return false;
}

DBM__DEF void dbm__savepoint_end(dbm__savepoint *p) {
    dbm__work *w;
    if (p->state != 1) return;
    p->state = 2;
    w = dbm__work_of(p->session);
    if (w == NULL || w->points < (int)p->number) return;
    if (dbm__work_point_rollback(w, (int)p->number) == DBM_OK) {
        if (w->top->sticky != DBM_OK && w->top->failed_at >= (int)p->number && !w->slot.connection.broken) w->top->undone = true;
    } else {
        dbm__work_fail(w, w->top->site);
        w->slot.connection.broken = w->slot.connection.broken || w->in_transaction;
    }
    if (p->status != NULL) *p->status = w->top->sticky != DBM_OK ? w->top->sticky : DBM_ROLLED_BACK;
    w->points = (int)p->number - 1;
}
/* --- end src/session/block.c --- */
/* --- begin src/session/statement.c --- */
/* One call from its target to its end: which session, which statement, what must happen before it is sent, and what its failure means.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: rows. */

/* ---- the target --------------------------------------------------------------------------------------------------------------- */

DBM__FN DBM__NOINLINE dbm_status dbm__call_begin(dbm__call *call, dbm_session *on, int kind, const char *site) {
    dbm__work *w;
    call->owns = false;
    call->work = NULL;
    if (on == NULL) return dbm__fail_null("session or database");
    if (on->step == DBM__ON_DATABASE) {
        dbm_database *db = (dbm_database *)on->slot;
        if (db == NULL) return dbm__fail_null("database");
        w = dbm__open_block(db);
        if (w == NULL) {
            dbm_status st = dbm__session_open(db, NULL, NULL, kind, site, &call->own);
            if (st != DBM_OK) return st;
            w = (dbm__work *)call->own.slot;
            call->owns = true;
        }
    } else {
        w = dbm__work_of(on);
        if (w == NULL) return dbm__session_bad(on, site);
    }
    call->work = w;
    if (dbm__load(&w->trouble) != 0) {
        dbm_status st = dbm__work_trouble(w, site);
        if (st != DBM_OK) dbm__call_end(call, st);
        return st;
    }
    return DBM_OK;
}

DBM__FN dbm_status dbm__call_end(dbm__call *call, dbm_status st) {
    if (call->owns) {
        if (st != DBM_OK) {
            dbm_error_info kept = dbm__self()->last;
            dbm__session_close(&call->own);
            dbm__self()->last = kept;
        } else {
            dbm__session_close(&call->own);
        }
        call->owns = false;
    }
    return st;
}

/* ---- running ---------------------------------------------------------------------------------------------------------------------- */

/* Adds the statement to what the adapter said, on one line and cut short. Values are never shown. */
DBM__FN DBM__NOINLINE dbm_status dbm__statement_failed(dbm__work *w, const char *sql, const char *site) {
    dbm_error_info *e = &dbm__self()->last;
    char what[640];
    dbm__text t;
    size_t i, shown = 0;
    bool blank = false;
    if (e->status == DBM_E_NOMEM || sql == NULL) return dbm__work_fail(w, site);
    dbm__copy_cut(what, sizeof what, e->message);
    t = dbm__text_in(e->message, sizeof e->message);
    dbm__putf(&t, "%s [SQL: ", what);
    for (i = 0; sql[i] != 0 && shown < 160; i++) {
        bool is_blank = sql[i] == ' ' || sql[i] == '\n' || sql[i] == '\t' || sql[i] == '\r';
        if (is_blank && (blank || shown == 0)) continue;
        dbm__put_n(&t, is_blank ? " " : &sql[i], 1);
        blank = is_blank;
        shown++;
    }
    while (t.size > 0 && ((unsigned char)t.data[t.size - 1] & 0x80u) && sql[i] != 0) t.data[--t.size] = 0; /* no half character */
    dbm__put(&t, sql[i] != 0 ? "...]" : "]");
    dbm__redact(w->db->settings, e->message);
    return dbm__work_fail(w, site);
}

static void dbm__echo(dbm__work *w, const dbm__entry *entry, const dbm_value *values, int count, const char *site) {
    char block[1000];
    dbm__text t;
    int i;
    if (!dbm__event_wanted(w->db->host, DBM_LOG_INFO)) return;
    t = dbm__text_in(block, sizeof block);
    dbm__put_n(&t, entry->text, entry->text_size);
    if (w->db->settings->config.echo == DBM_ECHO_VALUES) {
        for (i = 0; i < count; i++) {
            char number[64];
            size_t size;
            const char *text = values[i].type == DBM_TYPE_NULL ? "NULL" : values[i].type == DBM_TYPE_BLOB ? "(blob)" : dbm__to_text(&values[i], number, sizeof number, &size);
            dbm__putf(&t, "%s%s", i == 0 ? " -- " : ", ", text);
        }
    }
    dbm__redact(w->db->settings, block);
    dbm__event(w->db->host, DBM_EVENT_STATEMENT, DBM_LOG_INFO, w->db->name, site, DBM_OK, 0, "%s", block);
}

/* Values that a result needs until it is finished: copied, texts and all, into a block that the cursor keeps. */
static DBM__NOINLINE dbm_status dbm__keep_values(dbm__work *w, dbm_rows *rows, const dbm_value *values, int count, const dbm_value **out) {
    size_t need = (size_t)count * sizeof(dbm_value);
    dbm_value *copy;
    char *text;
    int i;
    for (i = 0; i < count; i++) if (values[i].type >= DBM_TYPE_TEXT && values[i].type != DBM_TYPE_TIMESTAMP) need += values[i].as.text.size + 1;
    if (need > rows->row.arguments_size) {
        size_t size = need < 256 ? 256 : need + need / 2;
        char *block = (char *)dbm__resize(w->db->host, rows->row.arguments, size);
        if (block == NULL) return dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, NULL);
        rows->row.arguments = block;
        rows->row.arguments_size = size;
    }
    copy = (dbm_value *)(void *)rows->row.arguments;
    text = rows->row.arguments + (size_t)count * sizeof(dbm_value);
    for (i = 0; i < count; i++) {
        copy[i] = values[i];
        if (values[i].type >= DBM_TYPE_TEXT && values[i].type != DBM_TYPE_TIMESTAMP) {
            if (values[i].as.text.size != 0) memcpy(text, values[i].as.text.data, values[i].as.text.size);
            text[values[i].as.text.size] = 0;
            copy[i].as.text.data = text;
            text += values[i].as.text.size + 1;
        }
    }
    *out = copy;
    return DBM_OK;
}

/* A statement handle's entry after a reconnect, or while its own is busy. */
static DBM__NOINLINE dbm_status dbm__statement_entry(dbm__work *w, dbm_statement *st, const char *site, dbm__entry **out) {
    dbm_status rc;
    if (st->entry == NULL) { /* the handle keeps one use of its entry */
        if (st->sql == NULL) return dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
        rc = dbm__cache_take(&w->slot.connection, st->sql, false, dbm__work_deadline(w), site, &st->entry);
        if (rc != DBM_OK) return rc;
    }
    if (st->entry->prepared.single && st->entry->uses > 1) return dbm__cache_take(&w->slot.connection, st->entry->text, false, dbm__work_deadline(w), site, out);
    st->entry->uses++;
    *out = st->entry;
    return DBM_OK;
}

/* The session changed the connection itself; pool_reset_on_return = commit or none leaves that to the next user. */
static void dbm__work_changed(dbm__work *w) {
    dbm_reset reset = w->db->settings->config.pool.reset_on_return;
    if (reset != DBM_RESET_NONE && reset != DBM_RESET_COMMIT) w->slot.reset_full = true;
}

/* What a session refuses before anything is sent; and what changes the connection itself is noted, whether it writes (PRAGMA x = y) or not. */
static DBM__NOINLINE dbm_status dbm__refuse(dbm__work *w, const dbm__entry *entry, const char *site) {
    if (entry->verb == DBM__VERB_STATE) dbm__work_changed(w);
    if (entry->verb == DBM__VERB_TRANSACTION) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site,
                         "transactions belong to the session here: use dbm_commit(s), dbm_rollback(s) or DBM_SAVEPOINT(s), or dbm_native for all else");
    }
    if (w->read_only && entry->prepared.writes) {
        return dbm__fail(DBM_E_READ_ONLY, DBM_STAGE_STATEMENT, w->db->name, site, "the session is .read_only and the statement writes");
    }
    return DBM_OK;
}

/* The connection died under the first statement of a transaction, or a read in autocommit: nothing can have been done, so another connection
 * takes its place once. */
static DBM__NOINLINE bool dbm__may_replace(dbm__work *w, dbm_status rc, bool was_clean, bool writes) {
    if (rc != DBM_E_LOST || !w->slot.connection.broken || !was_clean || w->open_rows != 0) return false; /* one that is slow is not dead */
    return !w->no_transaction || !writes;
}

DBM__FN DBM__NOINLINE dbm_status dbm__work_renew(dbm__work *w) {
    dbm_statement *st;
    for (st = w->statements; st != NULL; st = st->next) { /* their texts go with the cache; without memory for one, its handle says so */
        if (st->entry == NULL) continue;
        if (st->sql == NULL) st->sql = dbm__copy_text(w->db->host, st->entry->text, st->entry->text_size);
        dbm__cache_give(&w->slot.connection, st->entry);
        st->entry = NULL;
    }
    dbm__rows_close_all(w); /* rows that stand at their end have a statement too */
    w->in_transaction = false;
    w->points_sent = 0;
    dbm__work_gate_leave(w);
    return dbm__pool_reconnect(&w->slot, dbm__work_deadline(w));
}

/* What changes data by itself, and whose answer was lost: it may be done or not. The thread's last failure says so then. */
static DBM__NOINLINE void dbm__work_doubt(dbm__work *w, dbm_status rc) {
    dbm_error_info *e = &dbm__self()->last;
    char text[sizeof e->message];
    if (!w->no_transaction || !w->slot.connection.broken || (rc != DBM_E_LOST && rc != DBM_E_TIMEOUT && rc != DBM_E_CANCELLED)) return;
    dbm__copy_cut(text, sizeof text, e->message);
    dbm__format(e->message, sizeof e->message, "the connection was lost while the statement was running, so it may be done or not: %s", text);
    e->status = DBM_E_IN_DOUBT;
    e->retryable = false;
    dbm__add(&w->slot.pool->in_doubt, 1);
}

/* The backend ended the transaction by itself, with the statement that just ran. */
static DBM__NOINLINE dbm_status dbm__work_ended(dbm__work *w, const char *site) {
    bool wrote = w->wrote;
    if (!w->in_transaction) return DBM_OK;
    if (wrote) {
        return dbm__fail(DBM_E_IMPLICIT_COMMIT, DBM_STAGE_STATEMENT, w->db->name, site,
                         "the statement committed the transaction by itself, with what this session had written before: run such statements (CREATE, ALTER, "
                         "DROP, TRUNCATE, LOCK) in a session of their own, or call dbm_commit(s) first");
    }
    w->in_transaction = false;
    w->points_sent = 0;
    return DBM_OK;
}

DBM__FN dbm_status dbm__work_run(dbm__work *w, const char *sql, dbm_statement *st, bool named, const char *site, dbm_value *values, int count,
                                 dbm_op *op, dbm__entry **out, dbm_rows *rows) {
    dbm__entry *entry;
    dbm_value ordered[DBM__MAX_VALUES];
    dbm_connection *c = &w->slot.connection;
    bool was_clean = !w->in_transaction, replaced = false;
    dbm_status rc;
    *out = NULL;
    op->result = NULL; /* nothing to finish yet, if it fails before it is sent */
    if (DBM__UNLIKELY(w->one.row.open)) dbm__rows_close(&w->one);
    if (DBM__UNLIKELY(sql == NULL && st == NULL)) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "the SQL text is NULL");
        return dbm__work_fail(w, site);
    }
    if (DBM__UNLIKELY(w->timed) && dbm__now(w->db->host) >= w->top->deadline_us) {
        dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, w->db->name, site, "the session's deadline (timeout_ms) passed before the statement was sent");
        return dbm__work_fail(w, site);
    }
    if (DBM__UNLIKELY(w->open_rows != 0) && w->db->one_result) { /* preparing may already talk to the server */
        rc = dbm__rows_hold(w, site);
        if (rc != DBM_OK) return dbm__statement_failed(w, sql != NULL ? sql : st->entry != NULL ? st->entry->text : st->sql, site);
    }
again:
    if (st != NULL) {
        if (DBM__LIKELY(st->entry != NULL && st->entry->uses == 1)) {
            entry = st->entry;
            entry->uses = 2;
        } else {
            rc = dbm__statement_entry(w, st, site, &entry);
            if (rc != DBM_OK) return dbm__work_fail(w, site);
        }
        sql = st->entry->text;
    } else {
        rc = dbm__cache_take(c, sql, named, dbm__work_deadline(w), site, &entry);
        if (DBM__UNLIKELY(rc != DBM_OK)) {
            if (!replaced && dbm__may_replace(w, rc, was_clean, false)) goto replace;
            return dbm__statement_failed(w, sql, site);
        }
    }
    if (DBM__UNLIKELY(entry->verb >= DBM__VERB_STATE || w->read_only)) {
        rc = dbm__refuse(w, entry, site);
        if (rc != DBM_OK) goto failed;
    }
    if (DBM__UNLIKELY(named)) {
        rc = dbm__values_order(entry, values, count, ordered, w->db->name, site);
        if (rc != DBM_OK) goto failed;
        values = ordered;
        if (entry->prepared.parameters >= 0) count = entry->prepared.parameters;
    } else if (DBM__UNLIKELY(entry->prepared.parameters != count && entry->prepared.parameters >= 0)) {
        rc = dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "the statement has %d placeholder%s and the call passes %d value%s",
                       entry->prepared.parameters, entry->prepared.parameters == 1 ? "" : "s", count, count == 1 ? "" : "s");
        goto failed;
    }
    if (entry->prepared.writes && DBM__UNLIKELY(w->open_rows != 0)) {
        rc = dbm__rows_hold(w, site);
        if (rc != DBM_OK) goto failed;
    }
    if (!(w->in_transaction && w->points_sent == w->points && (!entry->prepared.writes || w->gate_held || w->db->gate == NULL))
        && !(w->no_transaction && !entry->prepared.writes)) {
        rc = dbm__work_start(w, entry->prepared.writes, site);
        if (DBM__UNLIKELY(rc != DBM_OK)) goto failed;
    }
    if (rows != NULL && count != 0) {
        const dbm_value *kept = values;
        rc = dbm__keep_values(w, rows, values, count, &kept);
        if (rc != DBM_OK) goto failed;
        op->values = kept;
    } else {
        op->values = values;
    }
    if (DBM__UNLIKELY(w->echo)) dbm__echo(w, entry, op->values, count, site);
    dbm__store(&w->slot.statements, w->slot.statements + 1u);
    w->top->ran = true;
    op->kind = DBM_OP_EXECUTE;
    op->sql = entry->prepared.sql;
    op->sql_size = entry->prepared.sql_size;
    op->value_count = count;
    op->prepared = &entry->prepared;
    op->deadline_us = dbm__work_deadline(w);
    op->result = NULL;
    op->row = false;
    op->affected = op->last_id = -1;
    op->settled = op->ended = false;
    op->row_buffer = w->db->settings->config.row_buffer;
    op->columns = 0;
    if (DBM__LIKELY(w->db->adapter->start == NULL && w->db->adapter->execute != NULL)) {
        rc = w->db->adapter->execute(c, op);
        if (DBM__UNLIKELY(rc != DBM_OK && rc != DBM_DONE)) rc = rc == DBM_E_UNSUPPORTED ? dbm__op_run(c, op) : dbm__op_failed(c, DBM_OP_EXECUTE, rc);
    } else {
        rc = dbm__op_run(c, op);
    }
    if (DBM__UNLIKELY(rc != DBM_OK && rc != DBM_DONE)) goto failed;
    if (DBM__UNLIKELY(op->ended) && (rc = dbm__work_ended(w, site)) != DBM_OK) goto failed;
    if (entry->prepared.writes) {
        /* One that matched nothing has nothing to lose, nor has one that committed by itself. */
        if (!(entry->verb == DBM__VERB_WRITE && op->affected == 0) && !op->ended) w->wrote = w->top->wrote = true;
        if (op->affected >= 0) w->affected = op->affected;
        if (op->last_id >= 0) w->last_id = op->last_id;
        if (DBM__UNLIKELY(w->no_transaction && (op->result == NULL || op->settled))) dbm__work_gate_leave(w);
    }
    *out = entry;
    return DBM_OK;
failed:
    {
        bool writes = entry->prepared.writes;
        dbm_error_info kept;
        if (!replaced && dbm__may_replace(w, rc, was_clean, writes)) {
            dbm__cache_give(c, entry);
            goto replace;
        }
        kept = dbm__self()->last;
        if (op->result != NULL) {
            op->kind = DBM_OP_FINISH;
            dbm__op_run(c, op);
            op->result = NULL;
        }
        dbm__cache_give(c, entry);
        if (w->no_transaction) dbm__work_gate_leave(w);
        dbm__self()->last = kept;
        if (writes) dbm__work_doubt(w, rc);
        return dbm__statement_failed(w, sql, site);
    }
replace:
    replaced = true;
    if (dbm__work_renew(w) != DBM_OK) return dbm__work_fail(w, site);
    goto again;
}

DBM__FN dbm_status dbm__work_exec(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, const char *site) {
    dbm__entry *entry;
    dbm_op op;
    dbm_status rc;
    op.isolation = DBM_ISOLATION_DEFAULT;
    op.read_only = op.write = op.one_row = op.no_wait = false;
    op.savepoint = 0;
    op.row_buffer = 0;
    op.native = op.state = NULL;
    rc = dbm__work_run(w, sql, st, named, site, values, count, &op, &entry, NULL);
    if (rc != DBM_OK) return rc;
    if (DBM__UNLIKELY(op.result != NULL)) { /* rows that nobody wants: to the end, so that all it does is done */
        dbm_error_info kept;
        op.kind = DBM_OP_FETCH;
        do {
            op.row = false;
            rc = dbm__op_run(&w->slot.connection, &op);
        } while (rc == DBM_OK);
        if (rc != DBM_DONE) kept = dbm__self()->last;
        if (rc == DBM_DONE && entry->prepared.writes && op.affected >= 0) w->affected = op.affected;
        op.kind = DBM_OP_FINISH;
        dbm__op_run(&w->slot.connection, &op);
        if (w->no_transaction) dbm__work_gate_leave(w);
        if (rc != DBM_DONE) {
            dbm__self()->last = kept;
            dbm__statement_failed(w, entry->text, site);
        }
    }
    dbm__cache_give(&w->slot.connection, entry);
    return rc == DBM_DONE ? DBM_OK : rc;
}

/* ---- commands of the backend's own ------------------------------------------------------------------------------------------------------ */

/* As dbm__work_run, without a statement: nothing is parsed, cached or echoed. */
static dbm_status dbm__work_command(dbm__work *w, const dbm_value *values, int count, bool writes, const char *site, dbm_op *op) {
    dbm_connection *c = &w->slot.connection;
    bool was_clean = !w->in_transaction, replaced = false;
    dbm_status rc;
    op->result = NULL;
    if (w->one.row.open) dbm__rows_close(&w->one);
    if (w->timed && dbm__now(w->db->host) >= w->top->deadline_us) {
        dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, w->db->name, site, "the session's deadline (timeout_ms) passed before the command was sent");
        return dbm__work_fail(w, site);
    }
    if (writes && w->read_only) {
        dbm__fail(DBM_E_READ_ONLY, DBM_STAGE_STATEMENT, w->db->name, site, "the session is .read_only and the command writes");
        return dbm__work_fail(w, site);
    }
    for (;;) {
        rc = w->open_rows != 0 ? dbm__rows_hold(w, site) : DBM_OK;
        if (rc == DBM_OK && !(w->in_transaction && w->points_sent == w->points) && !(w->no_transaction && !writes)) rc = dbm__work_start(w, writes, site);
        if (rc == DBM_OK) {
            dbm__store(&w->slot.statements, w->slot.statements + 1u);
            w->top->ran = true;
            dbm__op_init(op, DBM_OP_COMMAND, dbm__work_deadline(w));
            op->values = values;
            op->value_count = count;
            op->write = writes;
            op->row_buffer = w->db->settings->config.row_buffer;
            rc = dbm__op_run(c, op);
            if (rc == DBM_DONE) rc = DBM_OK;
            if (rc == DBM_OK && op->ended) rc = dbm__work_ended(w, site);
        }
        if (rc == DBM_OK || replaced || !dbm__may_replace(w, rc, was_clean, writes)) break;
        replaced = true;
        if (dbm__work_renew(w) != DBM_OK) return dbm__work_fail(w, site);
    }
    if (rc != DBM_OK) {
        dbm_error_info kept = dbm__self()->last;
        if (op->result != NULL) {
            op->kind = DBM_OP_FINISH;
            dbm__op_run(c, op);
            op->result = NULL;
        }
        dbm__self()->last = kept;
        if (writes) dbm__work_doubt(w, rc);
        return dbm__work_fail(w, site);
    }
    if (writes) {
        if (!op->ended) w->wrote = w->top->wrote = true;
        if (op->affected >= 0) w->affected = op->affected;
        if (op->last_id >= 0) w->last_id = op->last_id;
    }
    return DBM_OK;
}

DBM__FN dbm_status dbm__command(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes, dbm_rows **out) {
    dbm__call call;
    dbm_rows *rows;
    dbm_status st;
    *out = NULL;
    st = dbm__call_begin(&call, on, DBM__KIND_ROWS, site);
    if (st != DBM_OK) return st;
    DBM_ASSERT(call.work != NULL);
    rows = dbm__rows_new(call.work);
    if (rows == NULL) {
        dbm__no_memory(DBM_STAGE_STATEMENT, call.work->db->name, site);
        return dbm__call_end(&call, dbm__work_fail(call.work, site));
    }
    dbm__rows_reset(call.work, rows, site);
    st = dbm__work_command(call.work, values, count, writes, site, &rows->row.op);
    if (st != DBM_OK) {
        dbm__rows_spare(call.work, rows);
        return dbm__call_end(&call, st);
    }
    dbm__rows_opened(call.work, rows);
    rows->row.owns_session = call.owns;
    *out = rows;
    return DBM_OK;
}

/* ---- the public calls --------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__exec_list(dbm_session *on, const char *site, const char *sql, const char *codes, va_list ap) {
    dbm_value values[DBM__MAX_VALUES];
    dbm__call call;
    bool named = false;
    int count = 0;
    dbm_status st = dbm__call_begin(&call, on, DBM__KIND_CALL, site);
    if (DBM__UNLIKELY(st != DBM_OK)) return st;
    st = codes[0] != 0 ? dbm__values_read(values, &count, &named, codes, ap) : DBM_OK;
    if (DBM__UNLIKELY(st != DBM_OK)) st = dbm__work_fail(call.work, site);
    else st = dbm__work_exec(call.work, sql, NULL, values, count, named, site);
    return call.owns ? dbm__call_end(&call, st) : st;
}

DBM__DEF dbm_status dbm__exec(dbm_session *on, const char *site, const char *sql, const char *codes, ...) {
    va_list ap;
    dbm_status st;
    va_start(ap, codes);
    st = dbm__exec_list(on, site, sql, codes, ap);
    va_end(ap);
    return st;
}

/* dbm_send: without a pipeline the statement runs at once, and its failure shows where a pipeline would show it: it sticks, and the next call
 * that waits, or the commit, answers it. What can be said before anything is sent is said at once. */
static dbm_status dbm__sent_before(dbm_session *on, const char *site) {
    dbm__work *w;
    if (on == NULL || on->step == DBM__ON_DATABASE) return DBM_OK;
    w = dbm__work_of(on);
    if (w == NULL) return dbm__session_bad(on, site);
    return dbm__load(&w->trouble) != 0 ? dbm__work_trouble(w, site) : DBM_OK;
}

static dbm_status dbm__sent(dbm_session *on, dbm_status st) {
    dbm__work *w = on == NULL || on->step == DBM__ON_DATABASE ? NULL : dbm__work_of(on);
    return w != NULL && w->top->sticky != DBM_OK ? DBM_OK : st;
}

DBM__DEF dbm_status dbm__send(dbm_session *on, const char *site, const char *sql, const char *codes, ...) {
    va_list ap;
    dbm_status st;
    va_start(ap, codes);
    st = dbm__sent_before(on, site);
    if (st == DBM_OK) st = dbm__sent(on, dbm__exec_list(on, site, sql, codes, ap));
    va_end(ap);
    return st;
}

/* Values from an array: copied, since their sizes are filled in. */
DBM__FN dbm_status dbm__values_copy(dbm__work *w, const dbm_value *in, int count, dbm_value *out, bool *named, const char *site) {
    dbm_status st;
    int i;
    if (count < 0 || count > DBM__MAX_VALUES || (count > 0 && in == NULL)) {
        dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, w->db->name, site, "%d values: a call takes 0 to %d", count, (int)DBM__MAX_VALUES);
        return dbm__work_fail(w, site);
    }
    for (i = 0; i < count; i++) {
        out[i] = in[i];
        if (in[i].name != NULL) *named = true;
    }
    st = dbm__values_check(out, count, w->db->name, site);
    return st == DBM_OK ? DBM_OK : dbm__work_fail(w, site);
}

DBM__DEF dbm_status dbm__execv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    dbm__call call;
    bool named = false;
    dbm_status st = dbm__call_begin(&call, on, DBM__KIND_CALL, site);
    if (st != DBM_OK) return st;
    st = dbm__values_copy(call.work, values, count, copy, &named, site);
    if (st == DBM_OK) st = dbm__work_exec(call.work, sql, NULL, copy, count, named, site);
    return dbm__call_end(&call, st);
}

DBM__DEF dbm_status dbm__sendv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_status st = dbm__sent_before(on, site);
    return st == DBM_OK ? dbm__sent(on, dbm__execv(on, site, sql, values, count)) : st;
}

/* ---- prepared statements --------------------------------------------------------------------------------------------------------------- */

static void dbm__statement_spare(dbm__work *w, dbm_statement *st) {
    st->next = NULL;
    if (w->last_spare_statement != NULL) w->last_spare_statement->next = st;
    else w->spare_statements = st;
    w->last_spare_statement = st;
    w->spare_statements_count++;
}

DBM__DEF dbm_status dbm__prepare(dbm_session *s, const char *sql, dbm_statement **out, const char *site) {
    dbm__work *w;
    dbm_statement *st;
    dbm__entry *entry = NULL;
    dbm_status rc;
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_prepare: out is NULL");
    *out = NULL;
    w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) return dbm__session_bad(s, site);
    if (dbm__load(&w->trouble) != 0 && (rc = dbm__work_trouble(w, site)) != DBM_OK) return rc;
    if (sql == NULL) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "dbm_prepare: the SQL text is NULL");
        return dbm__work_fail(w, site);
    }
    if (w->open_rows != 0 && w->db->one_result && dbm__rows_hold(w, site) != DBM_OK) return dbm__statement_failed(w, sql, site);
    rc = dbm__cache_take(&w->slot.connection, sql, false, dbm__work_deadline(w), site, &entry);
    if (rc != DBM_OK && dbm__may_replace(w, rc, !w->in_transaction, false)) {
        if (dbm__work_renew(w) != DBM_OK) return dbm__work_fail(w, site);
        rc = dbm__cache_take(&w->slot.connection, sql, false, dbm__work_deadline(w), site, &entry);
    }
    if (rc != DBM_OK) return dbm__statement_failed(w, sql, site);
    if (w->spare_statements != NULL && (w->spare_statements_count >= DBM__SPARE || w->spare_statements->ended_in != w->base.gen)) {
        st = w->spare_statements;
        w->spare_statements = st->next;
        if (w->spare_statements == NULL) w->last_spare_statement = NULL;
        w->spare_statements_count--;
    } else {
        st = (dbm_statement *)dbm__alloc_zero(w->db->host, sizeof *st);
    }
    if (st == NULL) {
        dbm__cache_give(&w->slot.connection, entry);
        dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
        return dbm__work_fail(w, site);
    }
    st->work = w;
    st->gen = w->base.gen;
    st->entry = entry;
    st->site = site;
    st->next = w->statements;
    w->statements = st;
    *out = st;
    return DBM_OK;
}

DBM__DEF void dbm_stmt_end(dbm_statement *st) {
    dbm__work *w;
    dbm_statement **p;
    if (st == NULL || st->gen == 0) return;
    w = st->work;
    dbm__fork_look();
    if (DBM__UNLIKELY(dbm__load(&w->slot.pool->fork) != dbm__fork_epoch() && w->slot.connection.open)) {
        dbm__pool_after_fork(w->slot.pool);
        return;
    }
    for (p = &w->statements; *p != NULL && *p != st; p = &(*p)->next) {}
    if (*p == st) *p = st->next;
    if (st->entry != NULL) dbm__cache_give(&w->slot.connection, st->entry);
    dbm__free(w->db->host, st->sql);
    st->sql = NULL;
    st->entry = NULL;
    st->ended_in = st->gen;
    st->gen = 0;
    dbm__statement_spare(w, st);
}

DBM__FN dbm_status dbm__statement_ready(dbm_statement *st, const char *site) {
    dbm__work *w;
    if (st == NULL) return dbm__fail_null("prepared statement");
    w = st->work;
    dbm__fork_look();
    if (DBM__UNLIKELY(st->gen == 0 || st->gen != w->base.gen || dbm__load(&w->slot.pool->fork) != dbm__fork_epoch())) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w != NULL ? w->db->name : NULL, site,
                         "the prepared statement's session has ended, or dbm_stmt_end was called: prepare it again");
    }
    if (DBM__UNLIKELY(dbm__load(&w->trouble) != 0)) return dbm__work_trouble(w, site);
    return DBM_OK;
}

DBM__DEF dbm_status dbm__stmt_exec(const char *site, dbm_statement *st, const char *codes, ...) {
    dbm_value values[DBM__MAX_VALUES];
    bool named = false;
    int count = 0;
    va_list ap;
    dbm_status rc = dbm__statement_ready(st, site);
    if (rc != DBM_OK) return rc;
    va_start(ap, codes);
    rc = dbm__values_read(values, &count, &named, codes, ap);
    va_end(ap);
    if (rc != DBM_OK) return dbm__work_fail(st->work, site);
    return dbm__work_exec(st->work, NULL, st, values, count, named, site);
}

DBM__DEF dbm_status dbm__stmt_execv(const char *site, dbm_statement *st, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    bool named = false;
    dbm_status rc = dbm__statement_ready(st, site);
    if (rc == DBM_OK) rc = dbm__values_copy(st->work, values, count, copy, &named, site);
    return rc == DBM_OK ? dbm__work_exec(st->work, NULL, st, copy, count, named, site) : rc;
}

/* ---- native, identifiers, and what data/ needs ------------------------------------------------------------------------------------------ */

DBM__DEF void *dbm_native(dbm_session *s, const char *type) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm_op op;
    if (w == NULL) { dbm__session_bad(s, NULL); return NULL; }
    if (dbm__load(&w->trouble) != 0 && dbm__work_trouble(w, w->top->site) != DBM_OK) return NULL;
    if (type == NULL || !dbm__same_word(type, w->db->adapter->type)) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_STATEMENT, w->db->name, w->top->site, "dbm_native: the database is of type %q, not %q", w->db->adapter->type,
                  type != NULL ? type : "");
        return NULL;
    }
    if (dbm__rows_hold(w, w->top->site) != DBM_OK || dbm__work_start(w, true, w->top->site) != DBM_OK) {
        dbm__work_fail(w, w->top->site);
        return NULL;
    }
    dbm__op_init(&op, DBM_OP_NATIVE, dbm__work_deadline(w));
    if (dbm__op_run(&w->slot.connection, &op) != DBM_OK) {
        dbm__work_fail(w, w->top->site);
        return NULL;
    }
    w->top->ran = w->top->wrote = w->wrote = true;
    dbm__work_changed(w);
    return op.native;
}

DBM__DEF dbm_status dbm_ident(dbm_session *s, char *buf, size_t n, const char *name) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm_status st;
    if (w == NULL) return dbm__session_bad(s, NULL);
    st = dbm__sql_ident(buf, n, name, w->db->adapter->lexer & DBM_LEX_BACKSLASH ? '`' : '"');
    return st == DBM_OK ? st : dbm__work_fail(w, w->top->site);
}

DBM__FN dbm_database *dbm__on_database(dbm_session *on) {
    dbm__work *w;
    if (on == NULL) return NULL;
    if (on->step == DBM__ON_DATABASE) return (dbm_database *)on->slot;
    w = dbm__work_of(on);
    return w != NULL ? w->db : NULL;
}

DBM__FN dbm__host *dbm__on_host(dbm_session *on) {
    dbm_database *db = dbm__on_database(on);
    return db != NULL ? db->host : NULL;
}

DBM__FN dbm_status dbm__on_fail(dbm_session *on, dbm_status status, const char *site, const char *format, ...) {
    char text[900];
    dbm__text t = dbm__text_in(text, sizeof text);
    dbm_database *db = dbm__on_database(on);
    va_list ap;
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    dbm__fail(status, DBM_STAGE_STATEMENT, db != NULL ? db->name : NULL, site, "%s", text);
    if (on != NULL && on->step != DBM__ON_DATABASE) {
        dbm__work *w = dbm__work_of(on);
        if (w != NULL) return dbm__work_fail(w, site);
    } else if (db != NULL) {
        dbm__work *w = dbm__open_block(db);
        if (w != NULL) return dbm__work_fail(w, site);
    }
    return status;
}

DBM__FN dbm_status dbm__on_group(dbm_session *on, const char *site, dbm_status (*fn)(dbm_session *s, void *ud), void *ud) {
    dbm_session own;
    dbm__work *w;
    dbm_status st;
    dbm_error_info kept;
    if (on == NULL || on->step != DBM__ON_DATABASE) {
        w = on != NULL ? dbm__work_of(on) : NULL;
        if (w == NULL) return dbm__session_bad(on, site);
        if (dbm__load(&w->trouble) != 0 && (st = dbm__work_trouble(w, site)) != DBM_OK) return st;
        return fn(on, ud);
    }
    if (on->slot == NULL) return dbm__fail_null("database");
    w = dbm__open_block((dbm_database *)on->slot);
    if (w != NULL) {
        own.slot = w;
        own.gen = w->gen;
        own.step = 0;
        if (dbm__load(&w->trouble) != 0 && (st = dbm__work_trouble(w, site)) != DBM_OK) return st;
        return fn(&own, ud);
    }
    st = dbm__session_open((dbm_database *)on->slot, NULL, NULL, DBM__KIND_HAND, site, &own);
    if (st != DBM_OK) return st;
    st = fn(&own, ud);
    if (st == DBM_OK) st = dbm_commit(&own);
    kept = dbm__self()->last;
    dbm__session_close(&own);
    if (st != DBM_OK) dbm__self()->last = kept;
    return st;
}
/* --- end src/session/statement.c --- */
/* --- begin src/session/cursor.c --- */
/* Queries and rows: cursors that stream, the row in hand, its columns, scans.
 * May call: api/, base/, adapter/, pool/, sql/, session.h.
 * Must not know: how values are converted (sql/), or how a statement is found and started (statement.c). */

/* ---- cursors ------------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__rows_spare(dbm__work *w, dbm_rows *rows) {
    if (rows->row.looping) {
        rows->next = w->free_rows;
        w->free_rows = rows;
        return;
    }
    rows->next = NULL;
    if (w->last_spare_rows != NULL) w->last_spare_rows->next = rows;
    else w->spare_rows = rows;
    w->last_spare_rows = rows;
    w->spare_rows_count++;
}

DBM__FN dbm_rows *dbm__rows_new(dbm__work *w) {
    dbm_rows *rows = w->free_rows;
    if (rows != NULL) {
        w->free_rows = rows->next;
        return rows;
    }
    rows = w->spare_rows;
    if (rows != NULL && (w->spare_rows_count >= DBM__SPARE || rows->row.gen < w->base.gen)) {
        w->spare_rows = rows->next;
        if (w->spare_rows == NULL) w->last_spare_rows = NULL;
        w->spare_rows_count--;
        return rows;
    }
    return (dbm_rows *)dbm__alloc_zero(w->db->host, sizeof *rows);
}

/* Copies of what the adapter gives without a NUL, for the row in hand. */
typedef struct dbm__kept { struct dbm__kept *next; char data[1]; } dbm__kept;

static DBM__NOINLINE void dbm__row_drop_kept(dbm_row *row) {
    while (row->kept != NULL) {
        dbm__kept *next = ((dbm__kept *)row->kept)->next;
        dbm__free(row->work->db->host, row->kept);
        row->kept = next;
    }
}

static DBM__NOINLINE const char *dbm__row_keep(dbm_row *row, const char *data, size_t size) {
    dbm__kept *copy = size < SIZE_MAX - sizeof *copy ? (dbm__kept *)dbm__alloc(row->work->db->host, sizeof *copy + size) : NULL;
    if (copy == NULL) {
        dbm__no_memory(DBM_STAGE_ROW, row->work->db->name, row->site);
        dbm__work_fail(row->work, row->site);
        return NULL;
    }
    copy->next = (dbm__kept *)row->kept;
    row->kept = copy;
    if (size != 0) memcpy(copy->data, data, size);
    copy->data[size] = 0;
    return copy->data;
}

/* Whether the process has forked since: what the row reads from is the parent's. */
DBM__INLINE bool dbm__row_forked(const dbm_row *row) {
    dbm__fork_look();
    return dbm__load(&row->work->slot.pool->fork) != dbm__fork_epoch();
}
static DBM__NOINLINE dbm_status dbm__row_of_parent(const dbm_row *row) {
    return dbm__fail(DBM_E_FORKED, DBM_STAGE_ROW, row->work->db->name, row->site, "the rows were open when the process forked; they belong to the parent");
}

DBM__FN void dbm__rows_reset(dbm__work *w, dbm_rows *rows, const char *site) {
    dbm_row *row = &rows->row;
    row->work = w;
    row->entry = NULL;
    row->number = 0;
    row->gen = w->gen;
    row->site = site;
    row->ended = row->held = row->looping = row->owns_session = row->standing = false;
}

/* A command has answered: its rows, if any, stand before the first one. */
DBM__FN void dbm__rows_opened(dbm__work *w, dbm_rows *rows) {
    dbm_row *row = &rows->row;
    row->fresh = row->op.row && row->op.result != NULL;
    row->ended = row->op.result == NULL;
    row->open = true;
    if (row->op.result != NULL) w->open_rows++;
    rows->next = w->rows;
    w->rows = rows;
}

/* Ends the result at the adapter and frees the statement for others. The cursor stays with its owner. */
static void dbm__rows_finish(dbm_rows *rows) {
    dbm_row *row = &rows->row;
    dbm__work *w = row->work;
    row->ended = true;
    row->standing = row->fresh = false;
    if (DBM__UNLIKELY(row->kept != NULL)) dbm__row_drop_kept(row);
    if (row->op.result != NULL) {
        const dbm_adapter *a = w->db->adapter;
        row->op.kind = DBM_OP_FINISH;
        if (DBM__LIKELY(a->start == NULL && a->execute != NULL)) a->execute(&w->slot.connection, &row->op);
        else dbm__op_run(&w->slot.connection, &row->op);
        row->op.result = NULL;
        w->open_rows--;
    }
    if (row->entry == NULL) return; /* a command's */
    if (DBM__LIKELY(row->entry->cached && row->entry->uses > 1)) row->entry->uses--;
    else dbm__cache_give(&w->slot.connection, row->entry);
    row->entry = NULL;
    if (DBM__UNLIKELY(w->no_transaction && w->open_rows == 0)) dbm__work_gate_leave(w);
}

DBM__FN void dbm__rows_close(dbm_rows *rows) {
    dbm__work *w = rows->row.work;
    dbm_rows **p;
    if (!rows->row.open) return;
    dbm__rows_finish(rows);
    rows->row.open = false;
    if (DBM__UNLIKELY(rows->row.arguments_size > DBM__ARGUMENTS_KEPT)) {
        dbm__free(w->db->host, rows->row.arguments);
        rows->row.arguments = NULL;
        rows->row.arguments_size = 0;
    }
    if (rows == &w->one) return;
    for (p = &w->rows; *p != NULL && *p != rows; p = &(*p)->next) {}
    if (*p == rows) *p = rows->next;
    dbm__rows_spare(w, rows);
}

DBM__FN void dbm__rows_close_all(dbm__work *w) {
    if (w->one.row.open) dbm__rows_close(&w->one);
    while (w->rows != NULL) dbm__rows_close(w->rows);
}

static dbm_status dbm__row_hold(dbm__work *w, dbm_row *row, const char *site) {
    dbm_status st;
    if (row->op.result == NULL || row->held || row->ended) return DBM_OK;
    if (row->entry != NULL && row->entry->random && !w->db->one_result) { /* the rest is taken from a second run, which would give other rows */
        return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_ROW, w->db->name, site,
                         "the rows of %s come from a statement that calls random(), so they can't be kept while another statement writes: read them "
                         "all first", row->site);
    }
    row->op.kind = DBM_OP_HOLD;
    row->op.row_buffer = w->db->settings->config.row_buffer;
    row->op.deadline_us = dbm__work_deadline(w);
    st = dbm__op_run(&w->slot.connection, &row->op);
    if (st != DBM_OK) {
        dbm_error_info *e = &dbm__self()->last;
        char text[600];
        dbm__copy_cut(text, sizeof text, e->message);
        dbm__format(e->message, sizeof e->message, "the rows of %s, which are being read, can't be kept while another statement %s (at %s): %s",
                    row->site, w->db->one_result ? "runs" : "writes", site != NULL ? site : "a savepoint", text);
        return st;
    }
    row->held = true;
    return DBM_OK;
}

DBM__FN DBM__NOINLINE dbm_status dbm__rows_hold(dbm__work *w, const char *site) {
    dbm_rows *rows;
    dbm_status st = DBM_OK;
    if (w->db->one_result && w->one.row.open) st = dbm__row_hold(w, &w->one.row, site);
    for (rows = w->rows; rows != NULL && st == DBM_OK; rows = rows->next) st = dbm__row_hold(w, &rows->row, site);
    return st;
}

DBM__FN dbm_status dbm__work_query(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, bool one,
                                   const char *site, dbm_rows **out) {
    dbm_rows *rows;
    dbm_row *row;
    dbm_rows *keep;
    dbm_status rc;
    int i;
    *out = NULL;
    if (one) {
        if (w->one.row.open) dbm__rows_close(&w->one);
        rows = keep = &w->one;
        /* Only the first row is stepped to, at once: values are needed no longer than the call, unless a text may be in the row. */
        for (i = 0; i < count && (values[i].type < DBM_TYPE_TEXT || values[i].type == DBM_TYPE_TIMESTAMP); i++) {}
        if (DBM__LIKELY(i == count)) keep = NULL;
    } else {
        rows = keep = dbm__rows_new(w);
        if (rows == NULL) {
            dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
            return dbm__work_fail(w, site);
        }
    }
    row = &rows->row;
    row->work = w;
    row->number = 0;
    row->gen = w->gen;
    row->site = site;
    row->ended = row->held = row->looping = row->owns_session = row->standing = false;
    row->op.one_row = one;
    rc = dbm__work_run(w, sql, st, named, site, values, count, &row->op, &row->entry, keep);
    if (DBM__UNLIKELY(rc != DBM_OK)) {
        row->entry = NULL;
        row->op.result = NULL;
        if (!one) {
            dbm__rows_spare(w, rows);
        }
        return rc;
    }
    row->fresh = row->op.row;
    row->open = true;
    if (row->op.result != NULL) {
        w->open_rows++;
    } else { /* a statement without rows */
        dbm__cache_give(&w->slot.connection, row->entry);
        row->entry = NULL;
        row->fresh = false;
        row->ended = true;
    }
    if (!one) {
        rows->next = w->rows;
        w->rows = rows;
    }
    *out = rows;
    return DBM_OK;
}

/* The next row, without the checks of the public call. */
static dbm_status dbm__rows_advance(dbm_rows *rows) {
    dbm_row *row = &rows->row;
    dbm__work *w = row->work;
    const dbm_adapter *a = w->db->adapter;
    dbm_status st;
    if (DBM__UNLIKELY(row->kept != NULL)) dbm__row_drop_kept(row);
    if (row->fresh) {
        row->fresh = false;
        row->standing = true;
        row->number = 1;
        return DBM_OK;
    }
    if (row->ended || row->op.result == NULL) {
        row->ended = true;
        row->standing = false;
        return DBM_DONE;
    }
    row->op.kind = DBM_OP_FETCH;
    if (DBM__UNLIKELY(w->timed)) row->op.deadline_us = dbm__work_deadline(w);
    st = a->start == NULL && a->fetch != NULL ? a->fetch(&w->slot.connection, &row->op) : dbm__op_run(&w->slot.connection, &row->op);
    if (DBM__LIKELY(st == DBM_OK)) {
        row->number++;
        row->standing = true;
        return DBM_OK;
    }
    if (st == DBM_DONE) {
        if (row->entry != NULL && row->entry->prepared.writes && row->op.affected >= 0) w->affected = row->op.affected;
        dbm__rows_finish(rows);
        return DBM_DONE;
    }
    if (a->start == NULL) dbm__op_failed(&w->slot.connection, DBM_OP_FETCH, st);
    {
        dbm_error_info kept = dbm__self()->last;
        dbm__rows_finish(rows);
        dbm__self()->last = kept;
    }
    return dbm__work_fail(w, row->site);
}

/* ---- the public calls ---------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__query_values(dbm__call *call, const char *sql, dbm_value *values, int count, bool named, const char *site, dbm_rows **rows) {
    dbm_status st = dbm__work_query(call->work, sql, NULL, values, count, named, false, site, rows);
    if (st != DBM_OK) return call->owns ? dbm__call_end(call, st) : st;
    (*rows)->row.owns_session = call->owns;
    return DBM_OK;
}

/* The first row of a query: on a session in its own place, on a database in a cursor that holds the connection. */
static dbm_status dbm__one_values(dbm__call *call, const char *sql, dbm_statement *prepared, dbm_value *values, int count, bool named, const char *site,
                                  dbm_row **row) {
    dbm_rows *rows;
    dbm__work *w = call->work;
    dbm_status st = dbm__work_query(w, sql, prepared, values, count, named, !call->owns, site, &rows);
    if (DBM__UNLIKELY(st != DBM_OK)) return call->owns ? dbm__call_end(call, st) : st;
    st = dbm__rows_advance(rows);
    if (DBM__LIKELY(st == DBM_OK)) {
        rows->row.owns_session = call->owns;
        *row = &rows->row;
        return DBM_OK;
    }
    dbm__rows_close(rows);
    if (st == DBM_DONE) {
        st = dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, w->db->name, site, "no row matched");
    }
    return call->owns ? dbm__call_end(call, st) : st;
}

#define DBM__READ_VALUES(call) \
    dbm_value values[DBM__MAX_VALUES]; \
    bool named = false; \
    int count = 0; \
    va_list ap; \
    va_start(ap, codes); \
    st = codes[0] != 0 ? dbm__values_read(values, &count, &named, codes, ap) : DBM_OK; \
    va_end(ap)

DBM__DEF dbm_status dbm__query(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const char *codes, ...) {
    dbm__call call;
    dbm_status st;
    if (rows == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_query: rows is NULL");
    *rows = NULL;
    st = dbm__call_begin(&call, on, DBM__KIND_ROWS, site);
    if (st != DBM_OK) return st;
    {
        DBM__READ_VALUES(call);
        if (st != DBM_OK) return dbm__call_end(&call, dbm__work_fail(call.work, site));
        return dbm__query_values(&call, sql, values, count, named, site, rows);
    }
}

DBM__DEF dbm_status dbm__queryv(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    bool named = false;
    dbm__call call;
    dbm_status st;
    if (rows == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_query: rows is NULL");
    *rows = NULL;
    st = dbm__call_begin(&call, on, DBM__KIND_ROWS, site);
    if (st != DBM_OK) return st;
    st = dbm__values_copy(call.work, values, count, copy, &named, site);
    if (st != DBM_OK) return dbm__call_end(&call, st);
    return dbm__query_values(&call, sql, copy, count, named, site, rows);
}

/* ---- the short way -------------------------------------------------------------------------------------------------------------------
 * One row by numbers, through a statement that is at hand, in a session that nothing watches: what is left
 * between the caller and the adapter when all that could need a look is known not to. */

#define DBM__LANE_VALUES 8

DBM__INLINE bool dbm__lane_open(const dbm__work *w) {
    return w->lane && w->points_sent == w->points && dbm__load(&w->trouble) == 0;
}

DBM__INLINE void dbm__lane_close_one(dbm__work *w) {
    dbm_row *row = &w->one.row;
    dbm__entry *e = row->entry;
    if (DBM__LIKELY(e != NULL && row->op.result != NULL && !w->gate_held && row->kept == NULL)) {
        row->open = row->standing = false;
        row->op.kind = DBM_OP_FINISH;
        w->db->adapter->execute(&w->slot.connection, &row->op);
        w->open_rows--;
        if (DBM__UNLIKELY(!e->cached)) dbm__cache_give(&w->slot.connection, e);
        else e->uses--;
        row->entry = NULL;
        return;
    }
    dbm__rows_close(&w->one);
}

/* The connection was found dead under the first statement: on another one, the long way. */
static DBM__NOINLINE dbm_status dbm__lane_again(dbm__work *w, dbm__entry *e, const char *site, dbm_row **out) {
    dbm_value values[DBM__LANE_VALUES];
    int i, count = w->one.row.op.value_count;
    char *sql = dbm__copy_text(w->db->host, e->text, e->text_size); /* the entry goes with the connection */
    dbm__call call;
    dbm_status st;
    dbm__cache_give(&w->slot.connection, e);
    if (sql == NULL) {
        dbm__no_memory(DBM_STAGE_STATEMENT, w->db->name, site);
        return dbm__work_fail(w, site);
    }
    for (i = 0; i < count; i++) values[i] = w->one.row.op.values[i];
    call.work = w;
    call.owns = false;
    st = dbm__work_renew(w) == DBM_OK ? dbm__one_values(&call, sql, NULL, values, count, false, site, out) : dbm__work_fail(w, site);
    dbm__free(w->db->host, sql);
    return st;
}

/* The short way ended without a row in hand: one may have to be fetched, the connection may have to be replaced, or it failed. */
static DBM__NOINLINE dbm_status dbm__lane_else(dbm__work *w, dbm__entry *e, dbm_status rc, const char *site, dbm_row **out) {
    dbm_op *op = &w->one.row.op;
    *out = NULL;
    if (rc == DBM_OK && op->result != NULL) {
        op->kind = DBM_OP_FETCH;
        rc = dbm__op_run(&w->slot.connection, op);
        op->row = rc == DBM_OK;
        if (rc == DBM_OK) return DBM_OK;
    } else if (rc != DBM_OK && rc != DBM_DONE && (w->in_transaction || w->no_transaction)) {
        dbm__op_failed(&w->slot.connection, DBM_OP_EXECUTE, rc); /* else BEGIN has said it */
    }
    if (op->result != NULL) {
        dbm_error_info kept = dbm__self()->last;
        op->kind = DBM_OP_FINISH;
        dbm__op_run(&w->slot.connection, op);
        op->result = NULL;
        dbm__self()->last = kept;
    }
    if (rc == DBM_OK || rc == DBM_DONE) {
        dbm__cache_give(&w->slot.connection, e);
        return dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, w->db->name, site, "no row matched");
    }
    if (rc == DBM_E_LOST && w->slot.connection.broken && (w->one.row.ended || w->no_transaction) && w->open_rows == 0) {
        return dbm__lane_again(w, e, site, out);
    }
    dbm__statement_failed(w, e->text, site);
    dbm__cache_give(&w->slot.connection, e);
    return rc;
}

/* `e` is taken, its use counted. */
DBM__INLINE dbm_status dbm__lane_one(dbm__work *w, dbm__entry *e, const dbm_value *values, int count, const char *site, dbm_row **out) {
    dbm_row *row = &w->one.row;
    dbm_op *op = &row->op;
    dbm_status rc;
    op->kind = DBM_OP_EXECUTE;
    op->sql = e->prepared.sql;
    op->sql_size = e->prepared.sql_size;
    op->values = values;
    op->value_count = count;
    op->prepared = &e->prepared;
    op->deadline_us = INT64_MAX;
    op->result = NULL;
    op->row = false;
    op->columns = 0;
    op->one_row = true;
    w->top->ran = true;
    row->ended = false;
    dbm__store(&w->slot.statements, w->slot.statements + 1u);
    if (DBM__UNLIKELY(!w->in_transaction && !w->no_transaction)) {
        row->ended = true; /* nothing came before it in this transaction */
        rc = dbm__work_start(w, false, site);
        if (DBM__UNLIKELY(rc != DBM_OK)) return dbm__lane_else(w, e, rc, site, out);
    }
    rc = w->db->adapter->execute(&w->slot.connection, op);
    if (DBM__UNLIKELY(rc != DBM_OK || !op->row)) {
        rc = dbm__lane_else(w, e, rc, site, out);
        if (rc != DBM_OK || *out != NULL) return rc;
    }
    row->work = w;
    row->gen = w->gen;
    row->entry = e;
    row->number = 1;
    row->site = site;
    row->open = row->standing = true;
    row->fresh = row->ended = row->held = row->looping = row->owns_session = false;
    w->open_rows++;
    *out = row;
    return DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__query_one_list(dbm_session *on, dbm_row **row, const char *site, const char *sql, const char *codes, va_list ap) {
    dbm_value values[DBM__MAX_VALUES];
    bool named = false;
    int count = 0;
    dbm__call call;
    dbm_status st;
    if (row == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_query_one: row is NULL");
    *row = NULL;
    st = dbm__call_begin(&call, on, DBM__KIND_CALL, site);
    if (st != DBM_OK) return st;
    st = dbm__values_read(values, &count, &named, codes, ap);
    if (st != DBM_OK) return dbm__call_end(&call, dbm__work_fail(call.work, site));
    return dbm__one_values(&call, sql, NULL, values, count, named, site, row);
}

DBM__DEF dbm_status dbm__query_one(dbm_session *on, dbm_row **row, const char *site, const char *sql, const char *codes, ...) {
    dbm__work *w;
    va_list ap;
    dbm_status st;
    if (DBM__LIKELY(on != NULL && row != NULL && on->step != DBM__ON_DATABASE && (w = dbm__work_of(on)) != NULL && dbm__lane_open(w) && sql != NULL)) {
        dbm_value values[DBM__LANE_VALUES];
        int count;
        va_start(ap, codes);
        count = dbm__values_numbers(values, DBM__LANE_VALUES, codes, &ap);
        va_end(ap);
        if (DBM__LIKELY(count >= 0)) {
            dbm__entry *e;
            if (w->one.row.open) dbm__lane_close_one(w);
            if (DBM__LIKELY((e = dbm__cache_quick(&w->slot.connection, sql)) != NULL)) {
                if (DBM__LIKELY(e->plain && e->prepared.parameters == count)) return dbm__lane_one(w, e, values, count, site, row);
                e->uses--;
            }
        }
    }
    va_start(ap, codes);
    st = dbm__query_one_list(on, row, site, sql, codes, ap);
    va_end(ap);
    return st;
}

DBM__DEF dbm_status dbm__query_onev(dbm_session *on, dbm_row **row, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    bool named = false;
    dbm__call call;
    dbm_status st;
    if (row == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_query_one: row is NULL");
    *row = NULL;
    st = dbm__call_begin(&call, on, DBM__KIND_CALL, site);
    if (st != DBM_OK) return st;
    st = dbm__values_copy(call.work, values, count, copy, &named, site);
    if (st != DBM_OK) return dbm__call_end(&call, st);
    return dbm__one_values(&call, sql, NULL, copy, count, named, site, row);
}

static void dbm__loop_push(dbm_rows *rows) {
    dbm__thread *self = dbm__self();
    rows->within = (dbm__work *)self->open;
    rows->within_gen = rows->within != NULL ? rows->within->top->gen : 0;
    rows->loop = ++self->loops_made;
    rows->outer_loop = (dbm_rows *)self->loops;
    self->loops = rows;
}

static void dbm__loop_pop(dbm_rows *rows) {
    dbm_rows **p = (dbm_rows **)(void *)&dbm__self()->loops;
    while (*p != NULL && *p != rows) p = &(*p)->outer_loop;
    if (*p == rows) *p = rows->outer_loop;
}

DBM__FN void dbm__loops_end(dbm__thread *self, uint32_t after) {
    dbm_rows *loop;
    while ((loop = (dbm_rows *)self->loops) != NULL && (int32_t)(loop->loop - after) > 0) {
        const dbm__work *open = (const dbm__work *)self->open;
        if (loop->within != open || (open != NULL && loop->within_gen != open->top->gen)) return;
        dbm_rows_end(loop);
    }
}

static dbm__cursor dbm__cursor_of(dbm_rows *rows) {
    dbm__cursor c;
    c.dbm__row = rows != NULL ? &rows->row : NULL;
    c.dbm__started = 0;
    if (rows != NULL) {
        rows->row.looping = true;
        if (rows->row.owns_session) dbm__loop_push(rows);
    }
    return c;
}

DBM__DEF dbm__cursor dbm__each(dbm_session *on, const char *site, const char *sql, const char *codes, ...) {
    dbm_rows *rows = NULL;
    dbm__call call;
    dbm_status st = dbm__call_begin(&call, on, DBM__KIND_CALL, site);
    if (st == DBM_OK) {
        DBM__READ_VALUES(call);
        if (st != DBM_OK) dbm__call_end(&call, dbm__work_fail(call.work, site));
        else dbm__query_values(&call, sql, values, count, named, site, &rows);
    }
    return dbm__cursor_of(rows);
}

DBM__DEF dbm__cursor dbm__eachv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_rows *rows = NULL;
    dbm__queryv(on, &rows, site, sql, values, count);
    return dbm__cursor_of(rows);
}

DBM__DEF dbm_status dbm__stmt_query(const char *site, dbm_statement *prepared, dbm_rows **rows, const char *codes, ...) {
    dbm_status st;
    if (rows == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_stmt_query: rows is NULL");
    *rows = NULL;
    st = dbm__statement_ready(prepared, site);
    if (st != DBM_OK) return st;
    {
        DBM__READ_VALUES(call);
        if (st != DBM_OK) return dbm__work_fail(prepared->work, site);
        return dbm__work_query(prepared->work, NULL, prepared, values, count, named, false, site, rows);
    }
}

DBM__DEF dbm_status dbm__stmt_queryv(const char *site, dbm_statement *prepared, dbm_rows **rows, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    bool named = false;
    dbm_status st;
    if (rows == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_stmt_query: rows is NULL");
    *rows = NULL;
    st = dbm__statement_ready(prepared, site);
    if (st == DBM_OK) st = dbm__values_copy(prepared->work, values, count, copy, &named, site);
    return st == DBM_OK ? dbm__work_query(prepared->work, NULL, prepared, copy, count, named, false, site, rows) : st;
}

static DBM__NOINLINE dbm_status dbm__stmt_query_one_list(const char *site, dbm_statement *prepared, dbm_row **row, const char *codes, va_list ap) {
    dbm_value values[DBM__MAX_VALUES];
    bool named = false;
    int count = 0;
    dbm__call call;
    dbm_status st;
    if (row == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_stmt_query_one: row is NULL");
    *row = NULL;
    st = dbm__statement_ready(prepared, site);
    if (st != DBM_OK) return st;
    memset(&call, 0, sizeof call);
    call.work = prepared->work;
    st = dbm__values_read(values, &count, &named, codes, ap);
    if (st != DBM_OK) return dbm__work_fail(prepared->work, site);
    return dbm__one_values(&call, NULL, prepared, values, count, named, site, row);
}

DBM__DEF dbm_status dbm__stmt_query_one(const char *site, dbm_statement *prepared, dbm_row **row, const char *codes, ...) {
    va_list ap;
    dbm_status st;
    if (DBM__LIKELY(prepared != NULL && row != NULL && prepared->gen != 0)) {
        dbm__work *w = prepared->work;
        dbm__fork_look();
        if (DBM__LIKELY(prepared->gen == w->base.gen && dbm__lane_open(w) && dbm__load(&w->slot.pool->fork) == dbm__fork_epoch())) {
            dbm_value values[DBM__LANE_VALUES];
            int count;
            va_start(ap, codes);
            count = dbm__values_numbers(values, DBM__LANE_VALUES, codes, &ap);
            va_end(ap);
            if (DBM__LIKELY(count >= 0)) {
                dbm__entry *e = prepared->entry;
                if (w->one.row.open) dbm__lane_close_one(w);
                if (DBM__LIKELY(e != NULL && e->uses == 1 && e->plain && e->prepared.parameters == count)) {
                    e->uses = 2;
                    return dbm__lane_one(w, e, values, count, site, row);
                }
            }
        }
    }
    va_start(ap, codes);
    st = dbm__stmt_query_one_list(site, prepared, row, codes, ap);
    va_end(ap);
    return st;
}

DBM__DEF dbm_status dbm__stmt_query_onev(const char *site, dbm_statement *prepared, dbm_row **row, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    bool named = false;
    dbm__call call;
    dbm_status st;
    if (row == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, NULL, site, "dbm_stmt_query_one: row is NULL");
    *row = NULL;
    st = dbm__statement_ready(prepared, site);
    if (st == DBM_OK) st = dbm__values_copy(prepared->work, values, count, copy, &named, site);
    if (st != DBM_OK) return st;
    memset(&call, 0, sizeof call);
    call.work = prepared->work;
    return dbm__one_values(&call, NULL, prepared, copy, count, named, site, row);
}

DBM__DEF dbm__cursor dbm__stmt_each(dbm_statement *prepared, const char *site, const char *codes, ...) {
    dbm_rows *rows = NULL;
    dbm_status st = dbm__statement_ready(prepared, site);
    if (st == DBM_OK) {
        DBM__READ_VALUES(call);
        if (st != DBM_OK) dbm__work_fail(prepared->work, site);
        else dbm__work_query(prepared->work, NULL, prepared, values, count, named, false, site, &rows);
    }
    return dbm__cursor_of(rows);
}

DBM__DEF dbm__cursor dbm__stmt_eachv(dbm_statement *prepared, const char *site, const dbm_value *values, int count) {
    dbm_rows *rows = NULL;
    dbm__stmt_queryv(site, prepared, &rows, values, count);
    return dbm__cursor_of(rows);
}

DBM__DEF dbm_status dbm_rows_next(dbm_rows *rows, dbm_row **row) {
    dbm_status st;
    if (row != NULL) *row = NULL;
    if (rows == NULL) return dbm__fail_null("rows");
    if (rows->row.open && dbm__row_forked(&rows->row)) return dbm__row_of_parent(&rows->row);
    if (!rows->row.open) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_ROW, NULL, NULL, "dbm_rows_next: these rows have ended, with dbm_rows_end or with their session");
    if (dbm__load(&rows->row.work->trouble) != 0 && (st = dbm__work_trouble(rows->row.work, rows->row.site)) != DBM_OK) return st;
    st = dbm__rows_advance(rows);
    if (st == DBM_OK && row != NULL) *row = &rows->row;
    return st;
}

DBM__DEF bool dbm__row_step(dbm_row *row) {
    dbm_rows *rows = (dbm_rows *)(void *)row;
    if (DBM__UNLIKELY(row->open && dbm__row_forked(row))) {
        dbm__row_of_parent(row);
        return false;
    }
    if (DBM__UNLIKELY(dbm__load(&row->work->trouble) != 0) && dbm__work_trouble(row->work, row->site) != DBM_OK) return false;
    return row->open && dbm__rows_advance(rows) == DBM_OK;
}

DBM__DEF void dbm_rows_end(dbm_rows *rows) {
    dbm__work *w;
    bool owns;
    if (rows == NULL || !rows->row.open) return;
    w = rows->row.work;
    owns = rows->row.owns_session;
    if (owns && rows->row.looping) dbm__loop_pop(rows);
    if (DBM__UNLIKELY(dbm__row_forked(&rows->row))) { /* the clean-up after a fork drops them without a word to the server */
        dbm__pool_after_fork(w->slot.pool);
        return;
    }
    dbm__rows_close(rows);
    if (owns) {
        dbm_session s;
        s.slot = w;
        s.gen = w->gen;
        s.step = 0;
        dbm__session_close(&s);
    }
}

DBM__DEF void dbm_row_end(dbm_row *row) { dbm_rows_end((dbm_rows *)(void *)row); }
DBM__DEF void dbm__cursor_end(dbm__cursor *c) {
    if (c->dbm__row != NULL) dbm_row_end(c->dbm__row);
    c->dbm__row = NULL;
}

/* ---- columns ---------------------------------------------------------------------------------------------------------------------------- */

DBM__DEF const char *dbm_row_name(dbm_row *row, int i) {
    const dbm_adapter *a;
    const char *name = NULL;
    if (row == NULL) { dbm__fail_null("row"); return ""; }
    if (!row->open || row->op.result == NULL || i < 0 || i >= row->op.columns) return "";
    a = row->work->db->adapter;
    if (a->column_name != NULL) name = a->column_name(&row->work->slot.connection, &row->op, i);
    return name != NULL ? name : "";
}

DBM__FN int64_t dbm__row_number(dbm_row *row) { return row != NULL ? row->number : 0; }

DBM__FN DBM__NOINLINE dbm_status dbm__row_fail(dbm_row *row, dbm_status status, int column, const char *format, ...) {
    char text[600];
    dbm__text t = dbm__text_in(text, sizeof text);
    va_list ap;
    if (row->gen == row->work->gen && row->work->top->sticky != DBM_OK) return dbm__fail_again(&row->work->top->error); /* the first one is what matters */
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    if (strcmp(text, "is NULL") == 0) dbm__put(&t, "; take it into a dbm_optional_..., or ask dbm_row_is_null first");
    if (column >= 0) {
        dbm__fail(status, DBM_STAGE_ROW, row->work->db->name, row->site, "column %d (%s) of row %l: %s", column, dbm_row_name(row, column), row->number, text);
    } else {
        dbm__fail(status, DBM_STAGE_ROW, row->work->db->name, row->site, "row %l: %s", row->number, text);
    }
    return dbm__work_fail(row->work, row->site);
}

static DBM__NOINLINE dbm_status dbm__column_bad(dbm_row *row, int i, dbm_value *out) {
    *out = dbm_null();
    if (row == NULL) return dbm__fail_null("row");
    if (!row->open || !row->standing) {
        if (row->open && row->gen == row->work->gen && row->work->top->sticky != DBM_OK) return dbm__fail_again(&row->work->top->error);
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_ROW, row->work != NULL ? row->work->db->name : NULL, row->site,
                         "no row is in hand: read columns between dbm_rows_next and the next statement or the end of the rows");
        if (row->work != NULL && row->gen == row->work->gen) return dbm__work_fail(row->work, row->site); /* of a session that is still open */
        return DBM_E_MISUSE;
    }
    if (i < 0 || i >= row->op.columns) {
        return dbm__row_fail(row, DBM_E_RANGE, -1, "there is no column %d; columns are 0 to %d", i, row->op.columns - 1);
    }
    dbm__op_failed(&row->work->slot.connection, DBM_OP_FETCH, DBM_E_UNSUPPORTED);
    return dbm__work_fail(row->work, row->site);
}

DBM__INLINE dbm_status dbm__column(dbm_row *row, int i, dbm_value *out) {
    dbm_status st;
    if (DBM__UNLIKELY(row == NULL || !row->standing || (unsigned)i >= (unsigned)row->op.columns || row->work->db->adapter->column == NULL)) {
        return dbm__column_bad(row, i, out);
    }
    st = row->work->db->adapter->column(&row->work->slot.connection, &row->op, i, out);
    if (DBM__UNLIKELY(st != DBM_OK)) {
        *out = dbm_null();
        dbm__op_failed(&row->work->slot.connection, DBM_OP_FETCH, st);
        return dbm__work_fail(row->work, row->site);
    }
    return DBM_OK;
}

DBM__DEF int64_t dbm_row_int(dbm_row *row, int i) {
    dbm_value v;
    dbm__why why;
    int64_t x = 0;
    if (DBM__UNLIKELY(dbm__column(row, i, &v) != DBM_OK)) return 0;
    if (DBM__LIKELY(v.type == DBM_TYPE_INT)) return v.as.integer;
    if (dbm__to_int(&v, INT64_MIN, INT64_MAX, &x, &why) != DBM_OK) dbm__row_fail(row, DBM_E_RANGE, i, "%s", why.text);
    return x;
}

DBM__DEF uint64_t dbm_row_uint(dbm_row *row, int i) {
    dbm_value v;
    dbm__why why;
    uint64_t x = 0;
    if (dbm__column(row, i, &v) == DBM_OK && dbm__to_uint(&v, UINT64_MAX, &x, &why) != DBM_OK) dbm__row_fail(row, DBM_E_RANGE, i, "%s", why.text);
    return x;
}

DBM__DEF double dbm_row_double(dbm_row *row, int i) {
    dbm_value v;
    dbm__why why;
    double x = 0.0;
    if (dbm__column(row, i, &v) == DBM_OK && dbm__to_double(&v, &x, &why) != DBM_OK) dbm__row_fail(row, DBM_E_RANGE, i, "%s", why.text);
    return x;
}

DBM__DEF bool dbm_row_bool(dbm_row *row, int i) {
    dbm_value v;
    dbm__why why;
    bool x = false;
    if (dbm__column(row, i, &v) == DBM_OK && dbm__to_bool(&v, &x, &why) != DBM_OK) dbm__row_fail(row, DBM_E_RANGE, i, "%s", why.text);
    return x;
}

DBM__DEF int64_t dbm_row_timestamp(dbm_row *row, int i) {
    dbm_value v;
    dbm__why why;
    int64_t x = 0;
    if (dbm__column(row, i, &v) == DBM_OK && dbm__to_timestamp(&v, &x, &why) != DBM_OK) dbm__row_fail(row, DBM_E_RANGE, i, "%s", why.text);
    return x;
}

/* 64 bytes of the cursor's own for a number that is written out. NULL: no memory, which sticks. */
static char *dbm__row_block(dbm_row *row, int i) {
    if (i >= row->texts_columns) {
        char *block = (char *)dbm__resize(row->work->db->host, row->texts, (size_t)row->op.columns * 64u);
        if (block == NULL) {
            dbm__no_memory(DBM_STAGE_ROW, row->work->db->name, row->site);
            dbm__work_fail(row->work, row->site);
            return NULL;
        }
        row->texts = block;
        row->texts_columns = row->op.columns;
    }
    return row->texts + (size_t)i * 64u;
}

DBM__DEF const char *dbm_row_text(dbm_row *row, int i) {
    dbm_value v;
    char *block;
    size_t size;
    if (DBM__UNLIKELY(dbm__column(row, i, &v) != DBM_OK)) return "";
    if (DBM__LIKELY(v.type == DBM_TYPE_TEXT)) return v.as.text.data;
    if (v.type == DBM_TYPE_NULL) return "";
    if (v.type == DBM_TYPE_BLOB) {
        const char *copy = dbm__row_keep(row, v.as.text.data, v.as.text.size);
        return copy != NULL ? copy : "";
    }
    if (v.type == DBM_TYPE_DECIMAL || v.type == DBM_TYPE_UUID || v.type == DBM_TYPE_JSON) return v.as.text.data != NULL ? v.as.text.data : "";
    block = dbm__row_block(row, i);
    return block != NULL ? dbm__to_text(&v, block, 64, &size) : "";
}

DBM__DEF const void *dbm_row_blob(dbm_row *row, int i, size_t *size) {
    dbm_value v;
    size_t n = 0;
    const char *data;
    char *block;
    if (size != NULL) *size = 0;
    if (dbm__column(row, i, &v) != DBM_OK || v.type == DBM_TYPE_NULL) return NULL;
    if (v.type >= DBM_TYPE_TEXT && v.type != DBM_TYPE_TIMESTAMP) {
        if (size != NULL) *size = v.as.text.size;
        return v.as.text.data != NULL ? v.as.text.data : "";
    }
    block = dbm__row_block(row, i);
    if (block == NULL) return NULL;
    data = dbm__to_text(&v, block, 64, &n);
    if (size != NULL) *size = n;
    return data;
}

DBM__DEF bool dbm_row_is_null(dbm_row *row, int i) {
    dbm_value v;
    return dbm__column(row, i, &v) != DBM_OK || v.type == DBM_TYPE_NULL;
}

DBM__DEF dbm_value dbm_row_value(dbm_row *row, int i) {
    dbm_value v;
    dbm__column(row, i, &v);
    return v;
}

DBM__DEF int dbm_row_columns(dbm_row *row) {
    if (row == NULL) { dbm__fail_null("row"); return 0; }
    return row->op.columns;
}

DBM__DEF int dbm_rows_columns(dbm_rows *rows) {
    if (rows == NULL) { dbm__fail_null("rows"); return 0; }
    return rows->row.op.columns;
}

DBM__DEF const char *dbm_rows_name(dbm_rows *rows, int i) {
    if (rows == NULL) { dbm__fail_null("rows"); return ""; }
    return dbm_row_name(&rows->row, i);
}

DBM__FN int dbm__row_find(dbm_row *row, const char *name) {
    int i;
    if (row == NULL || name == NULL) return -1;
    for (i = 0; i < row->op.columns; i++) if (dbm__same_word(dbm_row_name(row, i), name)) return i;
    return -1;
}

DBM__DEF int dbm_row_index(dbm_row *row, const char *name) {
    char block[400];
    dbm__text t = dbm__text_in(block, sizeof block);
    int i;
    if (row == NULL) { dbm__fail_null("row"); return -1; }
    i = dbm__row_find(row, name);
    if (i >= 0) return i;
    for (i = 0; i < row->op.columns; i++) dbm__putf(&t, "%s%s", i != 0 ? ", " : "", dbm_row_name(row, i));
    dbm__row_fail(row, DBM_E_UNKNOWN_NAME, -1, "there is no column %q; there are %s", name != NULL ? name : "(NULL)", block);
    return -1;
}

/* A target whose column can't be had is 0 or "" all the same. */
static void dbm__target_clear(const dbm_target *t) {
    dbm_value v = t->kind == DBM__TO_TEXT || t->kind == DBM__TO_BUFFER ? dbm_textn("", 0) : t->kind == DBM__TO_VALUE || t->kind >= DBM__TO_OPTIONAL_INT || t->kind == DBM__TO_BYTES ? dbm_null() : dbm_int(0);
    char block[64];
    dbm__why why;
    dbm__to_target(&v, t, block, sizeof block, &why);
}

DBM__DEF dbm_status dbm__scan(dbm_row *row, const dbm_target *targets, int count) {
    dbm_status result = DBM_OK;
    int i;
    if (DBM__UNLIKELY(row == NULL || !row->standing || count != row->op.columns)) {
        dbm_value v;
        for (i = 0; i < count; i++) dbm__target_clear(&targets[i]);
        if (row == NULL || !row->standing) return dbm__column_bad(row, 0, &v);
        return dbm__row_fail(row, DBM_E_RANGE, -1, "dbm_scan has %d targets for %d columns", count, row->op.columns);
    }
    for (i = 0; i < count; i++) {
        dbm_value v;
        dbm__why why;
        dbm_status st = dbm__column(row, i, &v);
        if (st != DBM_OK) {
            dbm__target_clear(&targets[i]);
        } else {
            char *block = NULL;
            if (targets[i].kind == DBM__TO_TEXT && v.type == DBM_TYPE_BLOB) {
                const char *copy = dbm__row_keep(row, v.as.text.data, v.as.text.size);
                v.as.text.data = copy != NULL ? copy : "";
                if (copy == NULL) {
                    v.as.text.size = 0;
                    if (result == DBM_OK) result = DBM_E_NOMEM;
                }
            } else if (targets[i].kind == DBM__TO_TEXT && v.type != DBM_TYPE_TEXT && v.type != DBM_TYPE_NULL) {
                block = dbm__row_block(row, i);
                if (block == NULL) {
                    dbm__target_clear(&targets[i]);
                    result = result == DBM_OK ? DBM_E_NOMEM : result;
                    continue;
                }
            }
            st = dbm__to_target(&v, &targets[i], block, block != NULL ? 64u : 0u, &why);
            if (st != DBM_OK) st = dbm__row_fail(row, st, i, "%s", why.text);
        }
        if (result == DBM_OK) result = st;
    }
    return result;
}
/* --- end src/session/cursor.c --- */
/* --- begin src/data/data.h --- */
/* What is built on sessions: models (structs as rows of tables) and scripts. There is nothing here for other rooms to call but the
 * public functions; this header is what the files of the room share.
 * May call: api/, base/, sql/'s conversions and lexer, session/.
 * Must not know: connections, prepared statements, how a backend is spoken to. */
#ifndef DBM__DATA_H
#define DBM__DATA_H

#ifdef __cplusplus
extern "C" {
#endif

#define DBM__MODEL_FIELDS 64         /* as many as DBM_MODEL takes */

/* Puts a text before the message of the statement's failure that was just reported, and sets its status: in the session, where it
 * sticks, and as this thread's last failure. Returns the status. */
DBM__FN dbm_status dbm__failure_place(dbm_session *s, dbm_status status, const char *before);

#ifdef __cplusplus
}
#endif
#endif /* DBM__DATA_H */
/* --- end src/data/data.h --- */
/* --- begin src/data/models.c --- */
/* Models: the SQL of a struct's table, structs written as rows, rows read into structs.
 * May call: the public calls of session/, sql/'s conversions, base/.
 * Must not know: connections, pools, and of a backend more than how it names its types. */

/* ---- failures ------------------------------------------------------------------------------------------------------ */

DBM__FN DBM__NOINLINE dbm_status dbm__failure_place(dbm_session *s, dbm_status status, const char *before) {
    dbm_error_info *last = &dbm__self()->last;
    dbm__work *w = dbm__work_of(s);
    char message[sizeof last->message];
    dbm__format(message, sizeof message, "%s%s", before, last->message);
    dbm__copy_cut(last->message, sizeof last->message, message);
    last->status = status;
    if (w && w->top->sticky != DBM_OK) {
        w->top->sticky = status;
        w->top->error = *last;
    }
    return status;
}

/* ---- backends ------------------------------------------------------------------------------------------------------ */

/* How a backend names the column types of a model, by the type of its adapter; the last line is for adapters that are not listed. */
typedef struct dbm__dialect {
    const char *adapter;
    const char *integer, *real, *boolean, *text, *blob;
    const char *generated;   /* the whole definition of a single integer key */
    const char *key_text;    /* a text that is a key or unique, its longest length between this and ")"; NULL: as any text */
    const char *no_bytes;    /* the default value of a blob */
    const char *no_columns;  /* an INSERT that names no column */
    bool returning;          /* the generated key is asked for */
} dbm__dialect;

static const dbm__dialect dbm__dialects[] = {
    { "sqlite", "INTEGER", "REAL", "BOOLEAN", "TEXT", "BLOB", "INTEGER PRIMARY KEY" /* this very text makes it the rowid */, NULL, "X''", " DEFAULT VALUES", false },
    { "postgresql", "BIGINT", "DOUBLE PRECISION", "BOOLEAN", "TEXT", "BYTEA", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", NULL, "''", " DEFAULT VALUES", true },
    { "mysql", "BIGINT", "DOUBLE", "BOOLEAN", "LONGTEXT", "LONGBLOB", "BIGINT AUTO_INCREMENT PRIMARY KEY", "VARCHAR(", "('')", " () VALUES ()", false },
    { NULL, "BIGINT", "DOUBLE PRECISION", "BOOLEAN", "TEXT", "BLOB", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", NULL, "X''", " DEFAULT VALUES", false }
};

static const dbm__dialect *dbm__dialect_of(dbm_session *s) {
    const char *type = dbm__on_database(s)->adapter->type;
    const dbm__dialect *d = dbm__dialects;
    while (d->adapter && strcmp(d->adapter, type) != 0) d++;
    return d;
}

/* ---- checks -------------------------------------------------------------------------------------------------------- */

static bool dbm__field_is_key(const dbm_field *f) { return (f->flags & (unsigned)DBM_PRIMARY_KEY) != 0; }
static bool dbm__field_is_integer(const dbm_field *f) { return f->kind == DBM__TO_INT || f->kind == DBM__TO_UINT; }
static bool dbm__field_points(const dbm_field *f) { return f->kind == DBM__TO_TEXT || f->kind == DBM__TO_BYTES; }

static size_t dbm__model_keys(const dbm_model *m) {
    size_t i, keys = 0;
    for (i = 0; i < m->field_count; i++) keys += dbm__field_is_key(&m->fields[i]) ? 1u : 0u;
    return keys;
}

/* Only a single integer key is generated. */
static bool dbm__field_generated(const dbm_model *m, const dbm_field *f) {
    return dbm__field_is_key(f) && dbm__field_is_integer(f) && dbm__model_keys(m) == 1;
}

/* The first field whose data the struct only points to, or NULL. */
static const dbm_field *dbm__model_pointer(const dbm_model *m) {
    size_t i;
    for (i = 0; i < m->field_count; i++) if (dbm__field_points(&m->fields[i])) return &m->fields[i];
    return NULL;
}

static bool dbm__field_size_fits(const dbm_field *f) {
    switch ((dbm__target_kind)f->kind) {
    case DBM__TO_INT: case DBM__TO_UINT: return f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8;
    case DBM__TO_REAL: return f->size == sizeof(float) || f->size == sizeof(double);
    case DBM__TO_BOOL: return f->size == sizeof(bool);
    case DBM__TO_TEXT: return f->size == sizeof(char *);
    case DBM__TO_BUFFER: return f->size != 0;
    case DBM__TO_BYTES: return f->size == sizeof(dbm_bytes);
    case DBM__TO_OPTIONAL_INT: return f->size == sizeof(dbm_optional_int);
    case DBM__TO_OPTIONAL_DOUBLE: return f->size == sizeof(dbm_optional_double);
    case DBM__TO_OPTIONAL_BOOL: return f->size == sizeof(dbm_optional_bool);
    case DBM__TO_VALUE: case DBM__TO_SIGNED: break; /* has no column type */
    }
    return false;
}

static bool dbm__field_wrong(dbm__text *text, const dbm_model *m, const dbm_field *f) {
    if (!f->name || !f->name[0]) {
        dbm__putf(text, "field %z of model %q has no name", (size_t)(f - m->fields) + 1, m->name);
    } else if (!dbm__field_size_fits(f)) {
        dbm__putf(text, "field %q of model %q has a type that a column can't have; there are integers, float, double, bool, char *, char[N], "
                  "dbm_bytes and dbm_optional_...", f->name, m->name);
    } else if (f->size > m->size || f->offset > m->size - f->size) {
        dbm__putf(text, "field %q of model %q lies outside its struct", f->name, m->name);
    } else if (dbm__field_is_key(f) && f->kind >= DBM__TO_OPTIONAL_INT) {
        dbm__putf(text, "key %q of model %q has an optional type, but a key is never NULL", f->name, m->name);
    } else {
        return false;
    }
    return true;
}

/* What is wrong with a model, in `text`; false: nothing. `size`: of the caller's struct. `key`: without one it is of no use here. */
static bool dbm__model_wrong(dbm__text *text, const dbm_model *m, size_t size, bool key) {
    size_t i;
    if (!m) {
        dbm__put(text, "the model is NULL");
    } else if (!m->name) {
        dbm__put(text, "the model has no name; DBM_MODEL gives it one");
    } else if (!m->table || !m->table[0]) {
        dbm__putf(text, "model %q names no table", m->name);
    } else if (!m->fields || !m->field_count) {
        dbm__putf(text, "model %q has no fields", m->name);
    } else if (m->field_count > DBM__MODEL_FIELDS) {
        dbm__putf(text, "model %q has %z fields; %d are allowed", m->name, m->field_count, DBM__MODEL_FIELDS);
    } else if (m->size != size) {
        dbm__putf(text, "model %q describes a struct of %z bytes, but the one that was passed has %z", m->name, m->size, size);
    } else {
        for (i = 0; i < m->field_count; i++) if (dbm__field_wrong(text, m, &m->fields[i])) return true;
        if (!key || dbm__model_keys(m)) return false;
        dbm__putf(text, "model %q has no key; write one of its fields as DBM_KEY(field)", m->name);
    }
    return true;
}

/* SQL takes names without case, so `Id` and `id` would be one column. */
static bool dbm__model_doubled(dbm__text *text, const dbm_model *m) {
    size_t i, j;
    for (i = 1; i < m->field_count; i++) {
        for (j = 0; j < i; j++) {
            if (!dbm__same_word(m->fields[i].name, m->fields[j].name)) continue;
            dbm__putf(text, "model %q has the field %q twice", m->name, m->fields[i].name);
            return true;
        }
    }
    return false;
}

/* An empty target's own failure: every call of session/ answers it. */
static dbm_status dbm__model_no_target(dbm_session *on, const char *site) {
    dbm_status st = dbm__execv(on, site, "", NULL, 0);
    return st != DBM_OK ? st : dbm__fail_null("the session or database is NULL");
}

static dbm_status dbm__model_check(dbm_session *on, const char *site, const char *call, const dbm_model *m, const void *record, size_t size,
                                   bool key) {
    char block[320];
    dbm__text text = dbm__text_in(block, sizeof block);
    if (!dbm__on_database(on)) return dbm__model_no_target(on, site);
    if (dbm__model_wrong(&text, m, size, key)) {
        dbm__text_end(&text);
        return dbm__on_fail(on, DBM_E_MISUSE, site, "%s: %s", call, block);
    }
    if (!record) return dbm__on_fail(on, DBM_E_MISUSE, site, "%s: the pointer to the struct of model %q is NULL", call, m->name);
    return DBM_OK;
}

/* ---- statements ---------------------------------------------------------------------------------------------------- */

#define DBM__MODEL_TEXT 512   /* bytes of SQL, and fields, that need no heap */
#define DBM__MODEL_VALUES 16
#define DBM__MODEL_CURE 300   /* a message has no room for more statements than begin within so many bytes */

/* A statement while it is written, and its values. The same model always gives the same text, so the connection finds its prepared
 * statement. Failures are remembered: `status` is looked at once, at the end. */
typedef struct dbm__model_sql {
    dbm_session *s;
    const char *site;
    dbm__host *host;
    dbm_status status;
    dbm__text text;
    char *heap;
    dbm_value *values, *heap_values;
    int count;
    dbm_value few[DBM__MODEL_VALUES];
    char block[DBM__MODEL_TEXT];
} dbm__model_sql;

static void dbm__model_sql_begin(dbm__model_sql *q, dbm_session *s, const char *site) {
    q->s = s;
    q->site = site;
    q->host = dbm__on_host(s);
    q->status = DBM_OK;
    q->text = dbm__text_in(q->block, sizeof q->block);
    q->heap = NULL;
    q->values = q->few;
    q->heap_values = NULL;
    q->count = 0;
}

static void dbm__model_sql_end(dbm__model_sql *q) {
    dbm__free(q->host, q->heap);
    dbm__free(q->host, q->heap_values);
}

static dbm_status dbm__model_no_memory(dbm_session *s, const char *site) {
    return dbm__on_fail(s, DBM_E_NOMEM, site, "out of memory");
}

/* Room for `size` bytes more and a NUL. */
static bool dbm__model_room(dbm__model_sql *q, size_t size) {
    size_t capacity = q->text.capacity;
    char *moved;
    if (q->status != DBM_OK) return false;
    if (size < capacity - q->text.size) return true;
    if (size > SIZE_MAX / 4 || capacity > SIZE_MAX / 4) moved = NULL;
    else {
        while (capacity - q->text.size <= size) capacity *= 2;
        moved = (char *)dbm__resize(q->host, q->heap, capacity);
    }
    if (!moved) {
        q->status = dbm__model_no_memory(q->s, q->site);
        return false;
    }
    if (!q->heap) memcpy(moved, q->block, q->text.size + 1);
    q->heap = q->text.data = moved;
    q->text.capacity = capacity;
    return true;
}

static void dbm__model_put(dbm__model_sql *q, const char *text) {
    size_t size = strlen(text);
    if (dbm__model_room(q, size)) dbm__put_n(&q->text, text, size);
}

static void dbm__model_put_name(dbm__model_sql *q, const char *name) {
    size_t size = 2 * strlen(name) + 2;
    dbm_status st;
    if (!dbm__model_room(q, size)) return;
    st = dbm_ident(q->s, q->text.data + q->text.size, q->text.capacity - q->text.size, name);
    if (st != DBM_OK) q->status = st;
    else q->text.size += strlen(q->text.data + q->text.size);
}

/* "table"."column": SQLite takes a lone "name" that is no column for a text in quotes. */
static void dbm__model_put_column(dbm__model_sql *q, const dbm_model *m, const dbm_field *f) {
    dbm__model_put_name(q, m->table);
    dbm__model_put(q, ".");
    dbm__model_put_name(q, f->name);
}

static void dbm__model_put_keys(dbm__model_sql *q, const dbm_model *m) {
    const char *before = " WHERE ";
    size_t i;
    for (i = 0; i < m->field_count; i++) {
        if (!dbm__field_is_key(&m->fields[i])) continue;
        dbm__model_put(q, before);
        dbm__model_put_column(q, m, &m->fields[i]);
        dbm__model_put(q, " = ?");
        before = " AND ";
    }
}

static void dbm__model_put_select(dbm__model_sql *q, const dbm_model *m) {
    size_t i;
    for (i = 0; i < m->field_count; i++) {
        dbm__model_put(q, i ? ", " : "SELECT ");
        dbm__model_put_column(q, m, &m->fields[i]);
    }
    dbm__model_put(q, " FROM ");
    dbm__model_put_name(q, m->table);
}

/* ---- structs to values --------------------------------------------------------------------------------------------- */

static bool dbm__field_set(const char *at, size_t size) {
    size_t i;
    for (i = 0; i < size; i++) if (at[i]) return true; /* a bool from elsewhere may be neither 0 nor 1 */
    return false;
}

static int64_t dbm__field_int(const char *at, size_t size) {
    if (size == sizeof(int64_t)) { int64_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(int32_t)) { int32_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(int16_t)) { int16_t x; memcpy(&x, at, sizeof x); return x; }
    return (int64_t)*(const signed char *)at;
}

static uint64_t dbm__field_uint(const char *at, size_t size) {
    if (size == sizeof(uint64_t)) { uint64_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(uint32_t)) { uint32_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(uint16_t)) { uint16_t x; memcpy(&x, at, sizeof x); return x; }
    return (uint64_t)*(const unsigned char *)at;
}

/* One field of the struct at `record` as a value; texts are pointed to. */
static void dbm__field_value(dbm__model_sql *q, const dbm_model *m, const dbm_field *f, const char *record, dbm_value *out) {
    const char *at = record + f->offset;
    *out = dbm_null();
    switch ((dbm__target_kind)f->kind) {
    case DBM__TO_INT: *out = dbm_int(dbm__field_int(at, f->size)); return;
    case DBM__TO_UINT: {
        uint64_t x = dbm__field_uint(at, f->size);
        *out = x <= (uint64_t)INT64_MAX ? dbm_int((int64_t)x) : dbm_uint(x);
        return;
    }
    case DBM__TO_REAL:
        if (f->size == sizeof(float)) { float x; memcpy(&x, at, sizeof x); *out = dbm_double((double)x); }
        else { double x; memcpy(&x, at, sizeof x); *out = dbm_double(x); }
        return;
    case DBM__TO_BOOL: *out = dbm_bool(dbm__field_set(at, f->size)); return;
    case DBM__TO_TEXT: {
        const char *x;
        memcpy(&x, at, sizeof x);
        *out = dbm_text(x);
        return;
    }
    case DBM__TO_BUFFER: {
        const char *nul = (const char *)memchr(at, 0, f->size);
        if (nul) *out = dbm_textn(at, (size_t)(nul - at));
        else if (q->status == DBM_OK) {
            q->status = dbm__on_fail(q->s, DBM_E_RANGE, q->site, "field %q of model %q: char[%z] holds no NUL, so its text has no end",
                                     f->name, m->name, f->size);
        }
        return;
    }
    case DBM__TO_BYTES: {
        dbm_bytes x;
        memcpy(&x, at, sizeof x);
        if (x.data || !x.size) *out = dbm_blob(x.data, x.size);
        else if (q->status == DBM_OK) {
            q->status = dbm__on_fail(q->s, DBM_E_MISUSE, q->site, "field %q of model %q: dbm_bytes of %z bytes without data", f->name, m->name,
                                     x.size);
        }
        return;
    }
    case DBM__TO_OPTIONAL_INT: {
        dbm_optional_int x;
        x.value = 0;
        memcpy(&x.value, at + offsetof(dbm_optional_int, value), sizeof x.value);
        if (dbm__field_set(at + offsetof(dbm_optional_int, has), sizeof x.has)) *out = dbm_int(x.value);
        return;
    }
    case DBM__TO_OPTIONAL_DOUBLE: {
        dbm_optional_double x;
        x.value = 0;
        memcpy(&x.value, at + offsetof(dbm_optional_double, value), sizeof x.value);
        if (dbm__field_set(at + offsetof(dbm_optional_double, has), sizeof x.has)) *out = dbm_double(x.value);
        return;
    }
    case DBM__TO_OPTIONAL_BOOL:
        if (dbm__field_set(at + offsetof(dbm_optional_bool, has), sizeof(bool))) {
            *out = dbm_bool(dbm__field_set(at + offsetof(dbm_optional_bool, value), sizeof(bool)));
        }
        return;
    case DBM__TO_VALUE: case DBM__TO_SIGNED: break; /* dbm__model_wrong() has refused it */
    }
}

static void dbm__model_add_value(dbm__model_sql *q, const dbm_model *m, const dbm_field *f, const char *record) {
    if (q->status != DBM_OK) return;
    if (m->field_count > DBM__MODEL_VALUES && !q->heap_values) { /* no statement has more values than its model has fields */
        q->heap_values = (dbm_value *)dbm__alloc(q->host, m->field_count * sizeof *q->values);
        if (!q->heap_values) {
            q->status = dbm__model_no_memory(q->s, q->site);
            return;
        }
        q->values = q->heap_values;
    }
    dbm__field_value(q, m, f, record, &q->values[q->count]);
    q->count++;
}

static void dbm__model_add_keys(dbm__model_sql *q, const dbm_model *m, const char *record) {
    size_t i;
    for (i = 0; i < m->field_count; i++) if (dbm__field_is_key(&m->fields[i])) dbm__model_add_value(q, m, &m->fields[i], record);
}

/* Nobody's mistake, so it does not stick. A key is named where it is a number; another one may be a secret. */
static dbm_status dbm__model_not_found(dbm_session *on, const char *site, const dbm_model *m, const dbm_value *key) {
    const char *database = dbm__on_database(on)->name;
    if (key && key->type == DBM_TYPE_INT) {
        return dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, database, site, "table %q has no row with the key %l", m->table, key->as.integer);
    }
    return dbm__fail(DBM_E_NOT_FOUND, DBM_STAGE_STATEMENT, database, site, "table %q has no row with this key", m->table);
}

/* ---- values to structs --------------------------------------------------------------------------------------------- */

/* A char * that the struct points with: SQL NULL is NULL, "" is "". */
static dbm_status dbm__field_text(dbm_row *row, int column, const dbm_value *v, const char **out, dbm__why *why) {
    const void *nul;
    *out = NULL;
    switch (v->type) {
    case DBM_TYPE_NULL: return DBM_OK;
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
        *out = v->as.text.data ? v->as.text.data : "";
        nul = v->as.text.data && v->as.text.size ? memchr(v->as.text.data, 0, v->as.text.size) : NULL;
        if (!nul) return DBM_OK;
        dbm__format(why->text, sizeof why->text, "a text of %z bytes has a byte 0 at %z, which ends it in a char *; make the field dbm_bytes",
                    v->as.text.size, (size_t)((const char *)nul - v->as.text.data));
        return DBM_E_RANGE;
    case DBM_TYPE_BLOB:
        *out = "";
        dbm__format(why->text, sizeof why->text, "a blob of %z bytes is no text; make the field dbm_bytes", v->as.text.size);
        return DBM_E_RANGE;
    case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_DOUBLE: case DBM_TYPE_BOOL: case DBM_TYPE_TIMESTAMP:
        *out = dbm_row_text(row, column); /* written out, and kept as long as the row */
        return DBM_OK;
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return DBM_OK;
}

/* Column `column` (-1: there is none, the field is emptied) to one field, which is written in every case. `before` is what became of the
 * fields before it: only the first failure is reported. */
static dbm_status dbm__field_read(dbm_row *row, int column, const dbm_field *f, char *record, dbm_status before) {
    bool fine = column >= 0 && dbm__load(&row->work->trouble) == 0;
    dbm_value v = column >= 0 ? dbm_row_value(row, column) : dbm_null();
    dbm__why why;
    dbm_status st;
    if (f->kind == DBM__TO_TEXT) {
        const char *text;
        st = dbm__field_text(row, column, &v, &text, &why);
        memcpy(record + f->offset, &text, sizeof text);
    } else {
        dbm_target target = dbm__target(f->kind, f->size, record + f->offset);
        st = dbm__to_target(&v, &target, NULL, 0, &why);
    }
    if (column < 0 || before != DBM_OK) return before;
    if (DBM__UNLIKELY(fine && dbm__load(&row->work->trouble) != 0)) { /* the column itself could not be had */
        dbm_status trouble = dbm__work_trouble(row->work, row->site);
        if (trouble != DBM_OK) return trouble;
    }
    return st == DBM_OK ? DBM_OK : dbm__row_fail(row, st, column, "%s", why.text);
}

static void dbm__model_empty(const dbm_model *m, char *record) {
    size_t i;
    for (i = 0; i < m->field_count; i++) (void)dbm__field_read(NULL, -1, &m->fields[i], record, DBM_OK);
}

/* All fields from the columns of dbm__model_put_select(). */
static dbm_status dbm__model_read(dbm_row *row, const dbm_model *m, char *record) {
    dbm_status st = DBM_OK;
    size_t i;
    for (i = 0; i < m->field_count; i++) st = dbm__field_read(row, (int)i, &m->fields[i], record, st);
    return st;
}

DBM__DEF dbm_status dbm__scan_struct(dbm_row *row, const dbm_model *model, void *record, size_t size) {
    char block[320];
    dbm__text text = dbm__text_in(block, sizeof block);
    bool wrong = dbm__model_wrong(&text, model, size, false);
    dbm_status st = DBM_OK;
    size_t i;
    if (!wrong && !record) {
        dbm__putf(&text, "the pointer to the struct of model %q is NULL", model->name);
        wrong = true;
    }
    dbm__text_end(&text);
    if (!wrong && (!row || !row->standing)) dbm__model_empty(model, (char *)record);
    if (!row) return dbm__fail_null("dbm_scan_struct: the row is NULL");
    if (wrong) return dbm__row_fail(row, DBM_E_MISUSE, -1, "dbm_scan_struct: %s", block);
    if (!row->standing) {
        (void)dbm_row_value(row, 0); /* says why there is none */
        return dbm__self()->last.status;
    }
    for (i = 0; i < model->field_count; i++) {
        const dbm_field *f = &model->fields[i];
        int column = dbm__row_find(row, f->name);
        st = dbm__field_read(row, column, f, (char *)record, st);
        if (column < 0 && st == DBM_OK) {
            (void)dbm_row_index(row, f->name); /* lists the names there are */
            st = DBM_E_UNKNOWN_NAME;
        }
    }
    return st;
}

/* ---- create -------------------------------------------------------------------------------------------------------- */

static bool dbm__field_is_text(const dbm_field *f) { return f->kind == DBM__TO_TEXT || f->kind == DBM__TO_BUFFER; }

static void dbm__model_put_type(dbm__model_sql *q, const dbm__dialect *d, const dbm_field *f) {
    const char *type = d->blob;
    switch ((dbm__target_kind)f->kind) {
    case DBM__TO_INT: case DBM__TO_UINT: case DBM__TO_OPTIONAL_INT: type = d->integer; break;
    case DBM__TO_REAL: case DBM__TO_OPTIONAL_DOUBLE: type = d->real; break;
    case DBM__TO_BOOL: case DBM__TO_OPTIONAL_BOOL: type = d->boolean; break;
    case DBM__TO_TEXT: case DBM__TO_BUFFER: type = d->text; break;
    case DBM__TO_BYTES: case DBM__TO_VALUE: case DBM__TO_SIGNED: break;
    }
    if (d->key_text != NULL && dbm__field_is_text(f) && (f->flags & (unsigned)(DBM_PRIMARY_KEY | DBM_UNIQUE)) != 0) {
        char text[40];
        size_t longest = f->kind == DBM__TO_BUFFER && f->size > 1 && f->size <= 255 ? f->size - 1 : 255; /* an index has no room for more */
        dbm__format(text, sizeof text, "%s%z)", d->key_text, longest);
        dbm__model_put(q, text);
    } else {
        dbm__model_put(q, type);
    }
}

/* What an existing row gets in a new column that can't be NULL. */
static const char *dbm__field_default(const dbm__dialect *d, const dbm_field *f) {
    switch ((dbm__target_kind)f->kind) {
    case DBM__TO_INT: case DBM__TO_UINT: case DBM__TO_REAL: case DBM__TO_OPTIONAL_INT: case DBM__TO_OPTIONAL_DOUBLE: return "0";
    case DBM__TO_BOOL: case DBM__TO_OPTIONAL_BOOL: return "FALSE";
    case DBM__TO_TEXT: case DBM__TO_BUFFER: return "''";
    case DBM__TO_BYTES: case DBM__TO_VALUE: case DBM__TO_SIGNED: break;
    }
    return d->no_bytes;
}

static bool dbm__field_not_null(const dbm_field *f) {
    return f->kind == DBM__TO_INT || f->kind == DBM__TO_UINT || f->kind == DBM__TO_REAL || f->kind == DBM__TO_BOOL ||
           (f->flags & (unsigned)(DBM_NOT_NULL | DBM_PRIMARY_KEY)) != 0;
}

static void dbm__model_put_create(dbm__model_sql *q, const dbm_model *m, const dbm__dialect *d) {
    size_t i, keys = dbm__model_keys(m);
    const char *before = ", PRIMARY KEY (";
    dbm__model_put(q, "CREATE TABLE IF NOT EXISTS ");
    dbm__model_put_name(q, m->table);
    for (i = 0; i < m->field_count; i++) {
        const dbm_field *f = &m->fields[i];
        dbm__model_put(q, i ? ", " : " (");
        dbm__model_put_name(q, f->name);
        dbm__model_put(q, " ");
        if (dbm__field_generated(m, f)) {
            dbm__model_put(q, d->generated);
            continue;
        }
        dbm__model_put_type(q, d, f);
        if (dbm__field_not_null(f)) dbm__model_put(q, " NOT NULL");
        if (dbm__field_is_key(f) && keys == 1) dbm__model_put(q, " PRIMARY KEY");
        else if (f->flags & (unsigned)DBM_UNIQUE) dbm__model_put(q, " UNIQUE");
    }
    for (i = 0; i < m->field_count && keys > 1; i++) {
        if (!dbm__field_is_key(&m->fields[i])) continue;
        dbm__model_put(q, before);
        dbm__model_put_name(q, m->fields[i].name);
        before = ", ";
    }
    dbm__model_put(q, keys > 1 ? "))" : ")");
}

static bool dbm__rows_have(dbm_rows *rows, const char *name) {
    int i, columns = dbm_rows_columns(rows);
    for (i = 0; i < columns; i++) if (dbm__same_word(dbm_rows_name(rows, i), name)) return true;
    return false;
}

/* Appends the statement that adds one column to a table that has rows. UNIQUE can't be part of it everywhere. */
static void dbm__model_put_cure(dbm__model_sql *q, const dbm_model *m, const dbm_field *f, const dbm__dialect *d) {
    dbm__model_put(q, q->text.size ? "; ALTER TABLE " : "ALTER TABLE ");
    dbm__model_put_name(q, m->table);
    dbm__model_put(q, " ADD COLUMN ");
    dbm__model_put_name(q, f->name);
    dbm__model_put(q, " ");
    dbm__model_put_type(q, d, f);
    if (dbm__field_not_null(f)) {
        dbm__model_put(q, " NOT NULL DEFAULT ");
        dbm__model_put(q, dbm__field_default(d, f));
    }
    if (!(f->flags & (unsigned)DBM_UNIQUE)) return;
    dbm__model_put(q, "; CREATE UNIQUE INDEX ");
    dbm__model_put_name(q, f->name);
    dbm__model_put(q, " ON ");
    dbm__model_put_name(q, m->table);
    dbm__model_put(q, " (");
    dbm__model_put_name(q, f->name);
    dbm__model_put(q, ")");
}

static dbm_status dbm__model_verify(dbm_session *s, const char *site, const dbm_model *m, const dbm__dialect *d, dbm_rows *rows) {
    dbm__model_sql cure;
    dbm_status st = DBM_OK;
    const dbm_field *first = NULL, *key = NULL;
    size_t i, missing = 0;
    dbm__model_sql_begin(&cure, s, site);
    for (i = 0; i < m->field_count; i++) {
        const dbm_field *f = &m->fields[i];
        if (dbm__rows_have(rows, f->name)) continue;
        missing++;
        if (!first) first = f;
        if (!key && dbm__field_is_key(f)) key = f;
        if (cure.text.size < DBM__MODEL_CURE) dbm__model_put_cure(&cure, m, f, d);
    }
    if (!first || cure.status != DBM_OK) {
        st = cure.status;
    } else if (key) {
        st = dbm__on_fail(s, DBM_E_UNKNOWN_NAME, site, "table %q has no column %q, which is a key of model %q. dbm_create_all() never alters a "
                          "table that exists, and a key can't be added to one: make the table anew", m->table, key->name, m->name);
    } else if (missing == 1) {
        st = dbm__on_fail(s, DBM_E_UNKNOWN_NAME, site, "table %q has no column %q, which model %q needs. dbm_create_all() never alters a table "
                          "that exists; this does it: %s", m->table, first->name, m->name, cure.text.data);
    } else {
        st = dbm__on_fail(s, DBM_E_UNKNOWN_NAME, site, "table %q has no column %q, which model %q needs, and lacks %z more. dbm_create_all() "
                          "never alters a table that exists; this does it: %s", m->table, first->name, m->name, missing - 1, cure.text.data);
    }
    dbm__model_sql_end(&cure);
    return st;
}

static dbm_status dbm__model_create(dbm_session *s, const char *site, const dbm_model *m) {
    const dbm__dialect *d = dbm__dialect_of(s);
    dbm__model_sql q;
    dbm_rows *rows = NULL;
    dbm_status st;
    dbm__model_sql_begin(&q, s, site);
    dbm__model_put_create(&q, m, d);
    st = q.status != DBM_OK ? q.status : dbm__execv(s, site, q.text.data, NULL, 0);
    dbm__model_sql_end(&q);
    if (st != DBM_OK) return st;
    dbm__model_sql_begin(&q, s, site);
    dbm__model_put(&q, "SELECT * FROM ");
    dbm__model_put_name(&q, m->table);
    dbm__model_put(&q, " WHERE 1 = 0");
    st = q.status != DBM_OK ? q.status : dbm__queryv(s, &rows, site, q.text.data, NULL, 0);
    if (st == DBM_OK) st = dbm__model_verify(s, site, m, d, rows);
    dbm_rows_end(rows);
    dbm__model_sql_end(&q);
    return st;
}

typedef struct dbm__create_call { const char *site; const dbm_model *const *models; size_t count; } dbm__create_call;

static dbm_status dbm__create_run(dbm_session *s, void *ud) {
    const dbm__create_call *call = (const dbm__create_call *)ud;
    dbm_status st = DBM_OK;
    size_t i;
    for (i = 0; i < call->count && st == DBM_OK; i++) st = dbm__model_create(s, call->site, call->models[i]);
    return st;
}

DBM__DEF dbm_status dbm__create_all(dbm_session *on, const char *site, const dbm_model *const *models, size_t count) {
    char block[320];
    dbm__text text = dbm__text_in(block, sizeof block);
    dbm__create_call call;
    size_t i;
    if (!dbm__on_database(on)) return dbm__model_no_target(on, site);
    if (!models && count) return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_create_all: the array of models is NULL");
    for (i = 0; i < count; i++) {
        const dbm_model *m = models[i];
        bool wrong = dbm__model_wrong(&text, m, m ? m->size : 0, true);
        if (!wrong && m && !dbm__model_doubled(&text, m)) continue;
        dbm__text_end(&text);
        return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_create_all: %s", block);
    }
    call.site = site;
    call.models = models;
    call.count = count;
    return dbm__on_group(on, site, dbm__create_run, &call);
}

/* ---- insert, update, delete ---------------------------------------------------------------------------------------- */

/* One struct on its way to or from a table. */
typedef struct dbm__model_call {
    const char *site;
    const dbm_model *model;
    char *record;            /* written to by insert (the key) and find alone */
    const char *from;        /* the same, to read */
    const dbm_field *generated; /* insert: the key to be filled in */
    const dbm_value *key;    /* find */
    int keys;
    bool missing;            /* no row matched: no failure of the group, which would leave it early */
} dbm__model_call;

static dbm_status dbm__insert_run(dbm_session *s, void *ud) {
    const dbm__model_call *call = (const dbm__model_call *)ud;
    const dbm_model *m = call->model;
    const dbm__dialect *d = dbm__dialect_of(s);
    dbm__model_sql q;
    dbm_status st;
    int i;
    size_t f;
    dbm__model_sql_begin(&q, s, call->site);
    dbm__model_put(&q, "INSERT INTO ");
    dbm__model_put_name(&q, m->table);
    for (f = 0; f < m->field_count; f++) {
        if (&m->fields[f] == call->generated) continue;
        dbm__model_put(&q, q.count ? ", " : " (");
        dbm__model_put_name(&q, m->fields[f].name);
        dbm__model_add_value(&q, m, &m->fields[f], call->from);
    }
    dbm__model_put(&q, q.count ? ") VALUES (?" : d->no_columns);
    for (i = 1; i < q.count; i++) dbm__model_put(&q, ", ?");
    if (q.count) dbm__model_put(&q, ")");
    if (d->returning && call->generated) {
        dbm__model_put(&q, " RETURNING ");
        dbm__model_put_name(&q, call->generated->name);
    }
    st = q.status != DBM_OK ? q.status : dbm__execv(s, call->site, q.text.data, q.values, q.count);
    dbm__model_sql_end(&q);
    if (st == DBM_OK && call->generated) {
        dbm_value id = dbm_int(dbm_last_id(s));
        dbm_target target = dbm__target(call->generated->kind, call->generated->size, call->record + call->generated->offset);
        dbm__why why;
        if (!id.as.integer) {
            return dbm__on_fail(s, DBM_E_UNSUPPORTED, call->site, "the row is inserted into table %q, but the backend does not say which key it "
                                "generated; set field %q before dbm_insert_struct()", m->table, call->generated->name);
        }
        st = dbm__to_target(&id, &target, NULL, 0, &why);
        if (st != DBM_OK) st = dbm__on_fail(s, st, call->site, "the key that table %q generated: %s", m->table, why.text);
    }
    return st;
}

DBM__DEF dbm_status dbm__insert_struct(dbm_session *on, const char *site, const dbm_model *model, void *record, size_t size) {
    dbm__model_call call;
    dbm_status st = dbm__model_check(on, site, "dbm_insert_struct", model, record, size, false);
    size_t i;
    if (st != DBM_OK) return st;
    memset(&call, 0, sizeof call);
    call.site = site;
    call.model = model;
    call.record = (char *)record;
    call.from = call.record;
    for (i = 0; i < model->field_count; i++) {
        const dbm_field *f = &model->fields[i];
        if (dbm__field_generated(model, f) && !dbm__field_uint(call.from + f->offset, f->size)) call.generated = f;
    }
    st = dbm__on_group(on, site, dbm__insert_run, &call);
    if (st != DBM_OK && call.generated) memset(call.record + call.generated->offset, 0, call.generated->size); /* so that a retry generates too */
    return st;
}

static dbm_status dbm__changed(dbm_session *s, dbm__model_call *call, dbm__model_sql *q) {
    dbm_status st = q->status != DBM_OK ? q->status : dbm__execv(s, call->site, q->text.data, q->values, q->count);
    if (st == DBM_OK) call->missing = dbm_affected(s) == 0;
    dbm__model_sql_end(q);
    return st;
}

static dbm_status dbm__update_run(dbm_session *s, void *ud) {
    dbm__model_call *call = (dbm__model_call *)ud;
    const dbm_model *m = call->model;
    dbm__model_sql q;
    size_t i;
    dbm__model_sql_begin(&q, s, call->site);
    dbm__model_put(&q, "UPDATE ");
    dbm__model_put_name(&q, m->table);
    for (i = 0; i < m->field_count; i++) {
        if (dbm__field_is_key(&m->fields[i])) continue;
        dbm__model_put(&q, q.count ? ", " : " SET ");
        dbm__model_put_name(&q, m->fields[i].name);
        dbm__model_put(&q, " = ?");
        dbm__model_add_value(&q, m, &m->fields[i], call->from);
    }
    dbm__model_put_keys(&q, m);
    dbm__model_add_keys(&q, m, call->from);
    return dbm__changed(s, call, &q);
}

static dbm_status dbm__delete_run(dbm_session *s, void *ud) {
    dbm__model_call *call = (dbm__model_call *)ud;
    dbm__model_sql q;
    dbm__model_sql_begin(&q, s, call->site);
    dbm__model_put(&q, "DELETE FROM ");
    dbm__model_put_name(&q, call->model->table);
    dbm__model_put_keys(&q, call->model);
    dbm__model_add_keys(&q, call->model, call->from);
    return dbm__changed(s, call, &q);
}

static void dbm__model_call_of(dbm__model_call *call, const char *site, const dbm_model *model, const void *record) {
    memset(call, 0, sizeof *call);
    call->site = site;
    call->model = model;
    call->from = (const char *)record;
    call->keys = (int)dbm__model_keys(model);
}

/* Runs a call that looks for one row by the key in the struct. */
static dbm_status dbm__by_key(dbm_session *on, dbm__model_call *call, dbm_status (*run)(dbm_session *s, void *ud)) {
    const dbm_field *f = call->model->fields;
    dbm_value key = dbm_null();
    dbm_status st = dbm__on_group(on, call->site, run, call);
    if (st != DBM_OK || !call->missing) return st;
    while (!dbm__field_is_key(f)) f++;
    if (dbm__field_generated(call->model, f)) {
        key = f->kind == DBM__TO_INT ? dbm_int(dbm__field_int(call->from + f->offset, f->size))
                                     : dbm_uint(dbm__field_uint(call->from + f->offset, f->size));
    }
    return dbm__model_not_found(on, call->site, call->model, &key);
}

DBM__DEF dbm_status dbm__update_struct(dbm_session *on, const char *site, const dbm_model *model, const void *record, size_t size) {
    dbm__model_call call;
    dbm_status st = dbm__model_check(on, site, "dbm_update_struct", model, record, size, true);
    if (st != DBM_OK) return st;
    dbm__model_call_of(&call, site, model, record);
    if ((size_t)call.keys == model->field_count) {
        return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_update_struct: model %q has no field besides its key, so nothing can change", model->name);
    }
    return dbm__by_key(on, &call, dbm__update_run);
}

DBM__DEF dbm_status dbm__delete_struct(dbm_session *on, const char *site, const dbm_model *model, const void *record, size_t size) {
    dbm__model_call call;
    dbm_status st = dbm__model_check(on, site, "dbm_delete_struct", model, record, size, true);
    if (st != DBM_OK) return st;
    dbm__model_call_of(&call, site, model, record);
    return dbm__by_key(on, &call, dbm__delete_run);
}

/* ---- find ---------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__find_run(dbm_session *s, void *ud) {
    dbm__model_call *call = (dbm__model_call *)ud;
    const dbm_model *m = call->model;
    dbm__model_sql q;
    dbm_row *row = NULL;
    char place[200];
    dbm_status st;
    dbm__model_sql_begin(&q, s, call->site);
    dbm__model_put_select(&q, m);
    dbm__model_put_keys(&q, m);
    st = q.status != DBM_OK ? q.status : dbm__query_onev(s, &row, call->site, q.text.data, call->key, call->keys);
    if (st == DBM_OK) {
        st = dbm__model_read(row, m, call->record);
        if (!dbm__model_pointer(m)) dbm_row_end(row); /* else its texts stay until the session's next statement */
    } else if (st == DBM_E_NOT_FOUND) {
        call->missing = true;
        st = DBM_OK;
    } else if (st == DBM_E_SQL && strcmp(dbm__self()->last.sqlstate, "42703") == 0) {
        dbm__format(place, sizeof place, "table %q lacks a column of model %q: ", m->table, m->name);
        st = dbm__failure_place(s, DBM_E_UNKNOWN_NAME, place);
    }
    dbm__model_sql_end(&q);
    return st;
}

DBM__DEF dbm_status dbm__findv(dbm_session *on, const char *site, const dbm_model *model, void *record, size_t size, const dbm_value *key,
                               int count) {
    dbm__model_call call;
    const dbm_field *pointer;
    dbm_status st = dbm__model_check(on, site, "dbm_find", model, record, size, true);
    if (st != DBM_OK) return st;
    dbm__model_call_of(&call, site, model, record);
    call.record = (char *)record;
    call.key = key;
    if (!key || count != call.keys) {
        return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_find: model %q has a key of %d fields, but %d values were passed%s", model->name, call.keys,
                            key ? count : 0, call.keys > 1 ? "; dbm_query_all() finds by several" : "");
    }
    pointer = on->step == DBM__ON_DATABASE ? dbm__model_pointer(model) : NULL;
    if (pointer) {
        return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_find on a database needs a model without char * and dbm_bytes: nobody would own what "
                            "field %q of model %q points to. Use a session, dbm_query_all(), or char[N]", pointer->name, model->name);
    }
    st = dbm__on_group(on, site, dbm__find_run, &call);
    return st == DBM_OK && call.missing ? dbm__model_not_found(on, site, model, count == 1 ? key : NULL) : st;
}

DBM__DEF dbm_status dbm__find(dbm_session *on, const dbm_model *model, void *record, size_t size, const char *site, const char *codes, ...) {
    dbm_value key = dbm_null();
    int count = 0;
    bool named = false;
    dbm_status st = DBM_OK;
    va_list ap;
    if (codes[0] && !codes[1]) { /* dbm_find() passes one; any other number is refused below */
        va_start(ap, codes);
        st = dbm__values_read(&key, &count, &named, codes, ap);
        va_end(ap);
    }
    return st != DBM_OK ? st : dbm__findv(on, site, model, record, size, &key, count);
}

/* ---- query_all ----------------------------------------------------------------------------------------------------- */

/* What stands before the structs in the block that the caller frees: how to free it, also when the manager is gone. */
typedef struct dbm__all_head { dbm_allocator allocator; dbm__heap *heap; } dbm__all_head;
#define DBM__ALL_ALIGN 16u /* suits every type that a struct may hold */
#define DBM__ALL_HEAD ((sizeof(dbm__all_head) + DBM__ALL_ALIGN - 1) / DBM__ALL_ALIGN * DBM__ALL_ALIGN)

/* Structs in one growing block, behind their head; their texts in another one, in the order of the fields that point to them. While
 * they grow, a pointer only says whether there is a text; at the end the texts move behind the structs and the pointers are set. */
typedef struct dbm__all {
    const char *site;
    const dbm_model *model;
    const char *tail;
    const dbm_value *values;
    int count;
    char *block, *texts;
    size_t n, capacity;              /* structs */
    size_t used, room;               /* bytes of texts */
} dbm__all;

static size_t dbm__all_round(size_t size) { return (size + DBM__ALL_ALIGN - 1) / DBM__ALL_ALIGN * DBM__ALL_ALIGN; }
static char *dbm__all_record(const dbm__all *a, size_t i) { return a->block + DBM__ALL_HEAD + i * a->model->size; }

/* Room for one struct more. */
static bool dbm__all_grow(dbm__all *a, dbm__host *host) {
    size_t capacity = a->capacity ? a->capacity * 2 : 8;
    char *block;
    if (a->n < a->capacity) return true;
    if (capacity > (SIZE_MAX / 4 - DBM__ALL_HEAD) / a->model->size) return false;
    block = (char *)dbm__resize(host, a->block, DBM__ALL_HEAD + capacity * a->model->size);
    if (!block) return false;
    a->block = block;
    a->capacity = capacity;
    return true;
}

/* Where the next text of a field begins: bytes may be anything, so they are aligned for anything. */
static size_t dbm__all_place(const dbm_field *f, size_t used) { return f->kind == DBM__TO_BYTES ? dbm__all_round(used) : used; }

static bool dbm__all_keep(dbm__all *a, dbm__host *host, const dbm_field *f, const char *data, size_t size) {
    size_t at = dbm__all_place(f, a->used), room = a->room ? a->room : 256;
    char *texts;
    if (size > SIZE_MAX / 8 || at > SIZE_MAX / 8) return false;
    if (at + size + 1 > a->room) {
        while (room < at + size + 1) room *= 2;
        texts = (char *)dbm__resize(host, a->texts, room);
        if (!texts) return false;
        a->texts = texts;
        a->room = room;
    }
    memset(a->texts + a->used, 0, at - a->used);
    if (size) memcpy(a->texts + at, data, size);
    a->texts[at + size] = 0;
    a->used = at + size + 1;
    return true;
}

/* Keeps what a field points to: a text, or bytes. */
static bool dbm__all_keep_field(dbm__all *a, dbm__host *host, const dbm_field *f, const char *record) {
    if (f->kind == DBM__TO_TEXT) {
        const char *text;
        memcpy(&text, record + f->offset, sizeof text);
        return !text || dbm__all_keep(a, host, f, text, strlen(text));
    }
    if (f->kind == DBM__TO_BYTES) {
        dbm_bytes bytes;
        memcpy(&bytes, record + f->offset, sizeof bytes);
        return !bytes.data || dbm__all_keep(a, host, f, (const char *)bytes.data, bytes.size);
    }
    return true;
}

/* Points a field to its copy; *at is where the texts have come to. */
static void dbm__all_point(const dbm_field *f, char *record, char *texts, size_t *at) {
    if (f->kind == DBM__TO_TEXT) {
        const char *text;
        memcpy(&text, record + f->offset, sizeof text);
        if (!text) return;
        text = texts + *at;
        *at += strlen(text) + 1;
        memcpy(record + f->offset, &text, sizeof text);
    } else if (f->kind == DBM__TO_BYTES) {
        dbm_bytes bytes;
        memcpy(&bytes, record + f->offset, sizeof bytes);
        if (!bytes.data) return;
        *at = dbm__all_place(f, *at);
        bytes.data = (const unsigned char *)texts + *at;
        *at += bytes.size + 1;
        memcpy(record + f->offset, &bytes, sizeof bytes);
    }
}

/* One block of what was read. */
static bool dbm__all_join(dbm__all *a, dbm__host *host) {
    size_t structs = dbm__all_round(DBM__ALL_HEAD + a->n * a->model->size), at = 0, i, f;
    dbm__all_head head;
    char *block;
    if (!a->n) return true;
    if (a->used > SIZE_MAX / 2 - structs) return false;
    block = (char *)dbm__resize(host, a->block, structs + a->used);
    if (!block) return false;
    a->block = block;
    if (a->used) memcpy(block + structs, a->texts, a->used);
    memset(&head, 0, sizeof head);
    head.allocator = host->allocator;
    head.heap = host->heap;
    memcpy(block, &head, sizeof head);
    for (i = 0; i < a->n; i++) {
        for (f = 0; f < a->model->field_count; f++) dbm__all_point(&a->model->fields[f], dbm__all_record(a, i), block + structs, &at);
    }
    return true;
}

static dbm_status dbm__all_row(dbm__all *a, dbm_session *s, dbm__host *host, dbm_row *row) {
    const dbm_model *m = a->model;
    dbm_status st;
    char *record;
    size_t i;
    if (!dbm__all_grow(a, host)) return dbm__model_no_memory(s, a->site);
    record = dbm__all_record(a, a->n);
    memset(record, 0, m->size);
    st = dbm__model_read(row, m, record);
    for (i = 0; i < m->field_count && st == DBM_OK; i++) {
        if (!dbm__all_keep_field(a, host, &m->fields[i], record)) st = dbm__model_no_memory(s, a->site);
    }
    a->n++;
    return st;
}

static dbm_status dbm__all_run(dbm_session *s, void *ud) {
    dbm__all *a = (dbm__all *)ud;
    dbm__host *host = dbm__on_host(s);
    dbm__model_sql q;
    dbm_rows *rows = NULL;
    dbm_row *row = NULL;
    dbm_status st;
    dbm__model_sql_begin(&q, s, a->site);
    dbm__model_put_select(&q, a->model);
    if (a->tail[0]) {
        dbm__model_put(&q, " ");
        dbm__model_put(&q, a->tail);
    }
    st = q.status != DBM_OK ? q.status : dbm__queryv(s, &rows, a->site, q.text.data, a->values, a->count);
    while (st == DBM_OK) {
        st = dbm_rows_next(rows, &row);
        if (st == DBM_OK) st = dbm__all_row(a, s, host, row);
    }
    dbm_rows_end(rows);
    dbm__model_sql_end(&q);
    if (st != DBM_DONE) return st;
    return dbm__all_join(a, host) ? DBM_OK : dbm__model_no_memory(s, a->site);
}

DBM__DEF dbm_status dbm__query_allv(dbm_session *on, const char *site, const dbm_model *model, void *out, size_t size, size_t *n, const char *tail,
                                    const dbm_value *values, int count) {
    dbm__all a;
    dbm__host *host;
    void *records = NULL;
    dbm_status st;
    if (out) memcpy(out, &records, sizeof records);
    if (n) *n = 0;
    st = dbm__model_check(on, site, "dbm_query_all", model, out, size, false);
    if (st != DBM_OK || !out) return st;
    if (!n || !tail) return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_query_all: %s is NULL", n ? "the text" : "the pointer to the count");
    memset(&a, 0, sizeof a);
    a.site = site;
    a.model = model;
    a.tail = tail;
    a.values = values;
    a.count = count;
    host = dbm__on_host(on);
    st = dbm__on_group(on, site, dbm__all_run, &a);
    dbm__free(host, a.texts);
    if (st == DBM_OK && a.n) {
        records = dbm__all_record(&a, 0);
        memcpy(out, &records, sizeof records);
        *n = a.n;
    } else {
        dbm__free(host, a.block);
    }
    return st;
}

DBM__DEF dbm_status dbm__query_all(dbm_session *on, const dbm_model *model, void *out, size_t size, size_t *n, const char *site, const char *tail,
                                   const char *codes, ...) {
    dbm_value values[DBM__MAX_VALUES];
    int count = 0;
    bool named = false;
    dbm_status st;
    void *none = NULL;
    va_list ap;
    va_start(ap, codes);
    st = dbm__values_read(values, &count, &named, codes, ap);
    va_end(ap);
    if (st == DBM_OK) return dbm__query_allv(on, site, model, out, size, n, tail, values, count);
    if (out) memcpy(out, &none, sizeof none);
    if (n) *n = 0;
    return st;
}

DBM__DEF void dbm_free(void *block) {
    dbm__all_head head;
    dbm__host host;
    char *start;
    if (!block) return;
    start = (char *)block - DBM__ALL_HEAD;
    memcpy(&head, start, sizeof head);
    memset(&host, 0, sizeof host);
    host.allocator = head.allocator;
    host.heap = head.heap;
    dbm__free(&host, start);
}
/* --- end src/data/models.c --- */
/* --- begin src/data/script.c --- */
/* Scripts: many statements in one text, run one after the other until one fails.
 * May call: the public calls of session/, sql/'s lexer, base/.
 * Must not know: what a statement does. Where one ends is the lexer's to say. */

typedef struct dbm__script_call { const char *site, *sql; size_t size; } dbm__script_call;

static bool dbm__script_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where the first word of a statement is, behind blanks and comments. What looks like a comment is one if the lexer, shown nothing
 * else, finds no statement in it. */
static size_t dbm__script_first(const char *sql, size_t size, unsigned lexer) {
    size_t i = 0, end, next;
    for (;;) {
        while (i < size && dbm__script_blank(sql[i])) i++;
        if (i + 1 < size && sql[i] == '/' && sql[i + 1] == '*') { /* it may hold others: the first end need not be its own */
            for (end = i + 4; end <= size; end++) {
                if (sql[end - 2] == '*' && sql[end - 1] == '/' && dbm__sql_statement_end(sql + i, end - i, lexer, &next) == 0) break;
            }
        } else if (i < size && (sql[i] == '-' || sql[i] == '#')) {
            for (end = i; end < size && sql[end] != '\n'; end++) { }
            if (dbm__sql_statement_end(sql + i, end - i, lexer, &next) != 0) return i;
        } else {
            return i;
        }
        if (end > size) return i;
        i = end;
    }
}

static dbm_status dbm__script_run(dbm_session *s, void *ud) {
    const dbm__script_call *call = (const dbm__script_call *)ud;
    unsigned lexer = dbm__on_database(s)->adapter->lexer;
    dbm__host *host = dbm__on_host(s);
    dbm_status st = dbm_status_of(s);
    size_t at = 0, next = 0, capacity = 0;
    char *statement = NULL, place[48];
    if (st != DBM_OK) return dbm__execv(s, call->site, "", NULL, 0); /* failed before: that failure again, without a line */
    while (st == DBM_OK && at < call->size) {
        size_t size = dbm__sql_statement_end(call->sql + at, call->size - at, lexer, &next), first = at;
        at += next;
        if (!size) continue; /* nothing but blanks and comments */
        while (dbm__script_blank(call->sql[first])) { first++; size--; }
        if (size >= capacity) {
            char *more = size < SIZE_MAX / 4 ? (char *)dbm__resize(host, statement, size + size / 2 + 1) : NULL;
            if (!more) {
                st = dbm__on_fail(s, DBM_E_NOMEM, call->site, "out of memory");
                break;
            }
            statement = more;
            capacity = size + size / 2 + 1;
        }
        memcpy(statement, call->sql + first, size);
        statement[size] = 0;
        st = dbm__execv(s, call->site, statement, NULL, 0);
        if (st != DBM_OK) {
            first += dbm__script_first(call->sql + first, size, lexer);
            dbm__format(place, sizeof place, "line %d of the script: ", dbm__sql_line(call->sql, first));
            st = dbm__failure_place(s, st, place);
        }
    }
    dbm__free(host, statement);
    return st;
}

DBM__DEF dbm_status dbm__script(dbm_session *on, const char *site, const char *sql) {
    dbm__script_call call;
    if (!dbm__on_database(on)) {
        dbm_status st = dbm__execv(on, site, "", NULL, 0);
        return st != DBM_OK ? st : dbm__fail_null("the session or database is NULL");
    }
    if (!sql) return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_script: the text is NULL");
    call.site = site;
    call.sql = sql;
    call.size = strlen(sql);
    return dbm__on_group(on, site, dbm__script_run, &call);
}
/* --- end src/data/script.c --- */
/* --- begin src/adapters/adapters.h --- */
/* The adapters that are built in, one function each: what manager/ puts into its map.
 * May call: api/, base/.
 * Must not know: how any of them works, nor each other. */
#ifndef DBM__ADAPTERS_H
#define DBM__ADAPTERS_H

#ifdef __cplusplus
extern "C" {
#endif

#if DBM_HAS_SQLITE
DBM__FN const dbm_adapter *dbm__adapter_sqlite(void);
/* The ..._shutdown functions tear down what a driver keeps for the whole process: only when no connection of anybody is left
 * (opts.own_drivers). */
DBM__FN void dbm__adapter_sqlite_shutdown(void);
#endif
#if DBM_HAS_POSTGRESQL
DBM__FN const dbm_adapter *dbm__adapter_postgresql(void);
#endif
#if DBM_HAS_MYSQL
DBM__FN const dbm_adapter *dbm__adapter_mysql(void);
DBM__FN void dbm__adapter_mysql_shutdown(void);
#endif
#if DBM_HAS_REDIS
DBM__FN const dbm_adapter *dbm__adapter_redis(void);
#endif
#if DBM_HAS_MONGODB
DBM__FN const dbm_adapter *dbm__adapter_mongodb(void);
DBM__FN void dbm__adapter_mongodb_shutdown(void);
#endif

#ifdef __cplusplus
}
#endif
#endif /* DBM__ADAPTERS_H */
/* --- end src/adapters/adapters.h --- */
/* --- begin src/adapters/sqlite.c --- */
/* SQLite: files and in-memory databases, through sqlite3.h 3.24 or newer.
 * May call: api/, base/, config/ (values of options), sql/ (a timestamp's text), and sqlite3.
 * Must not know: pools, sessions, other adapters. */
#if DBM_HAS_SQLITE
#if defined(__has_include) && !defined(DBM__BUNDLED_SQLITE3_H)
#  if !__has_include(<sqlite3.h>)
#    define DBM__SQLITE_MISSING 1
#  endif
#endif
#if defined(DBM__SQLITE_MISSING)
#  error "dbm: DBM_WITH_SQLITE needs sqlite3.h: install libsqlite3-dev (Debian), sqlite-dev (Alpine), sqlite (macOS), or put sqlite3.h on the include path"
#else
#include <sqlite3.h>
#if SQLITE_VERSION_NUMBER < 3024000
#  error "dbm: DBM_WITH_SQLITE needs SQLite 3.24 or newer: put a newer sqlite3.h on the include path"
#endif
#if defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__SQLITE_POSIX 1
#  include <errno.h>
#  include <stdlib.h>
#  include <sys/stat.h>
#  include <unistd.h>
#  if defined(__GLIBC__) && !defined(__USE_MISC) && !defined(__USE_XOPEN_EXTENDED) && !defined(__cplusplus)
char *realpath(const char *path, char *resolved); /* it is there; a system header that came first has hidden it */
#  endif
#else
#  define DBM__SQLITE_POSIX 0
#endif
#if defined(PATH_MAX) && PATH_MAX > 4096
#  define DBM__SQLITE_PATH PATH_MAX
#else
#  define DBM__SQLITE_PATH 4096
#endif
/* What came after 3.24, by the version of the header. */
#if SQLITE_VERSION_NUMBER >= 3037000
#  define DBM__SQLITE_CHANGES(db) ((int64_t)sqlite3_changes64(db))
#  define DBM__SQLITE_TOTAL(db) ((int64_t)sqlite3_total_changes64(db))
#else
#  define DBM__SQLITE_CHANGES(db) ((int64_t)sqlite3_changes(db))
#  define DBM__SQLITE_TOTAL(db) ((int64_t)sqlite3_total_changes(db))
#endif
#if SQLITE_VERSION_NUMBER >= 3028000
#  define DBM__SQLITE_EXPLAINS(stmt) (sqlite3_stmt_isexplain(stmt) != 0)
#else
#  define DBM__SQLITE_EXPLAINS(stmt) false
#endif
#if SQLITE_VERSION_NUMBER >= 3038000
#  define DBM__SQLITE_OFFSET(db) sqlite3_error_offset(db)
#else
#  define DBM__SQLITE_OFFSET(db) (-1)
#endif

#define DBM__SQLITE_OPTIONS "busy_timeout,foreign_keys,journal_mode,synchronous,cache_size"
#define DBM__SQLITE_STEPS 1000 /* of SQLite's machine, between two looks at the deadline */

/* ---- what it keeps ----------------------------------------------------------------------------------------------- */

/* Of a database, from init to close. The texts lie behind it in the same block, or are literals. */
typedef struct dbm__sqlite_base {
    const char *path;        /* of the file, absolute; what messages show */
    const char *uri;         /* for sqlite3_open_v2 */
    const char *journal;     /* NULL: WAL for a new file, else as it is */
    const char *synchronous;
    int64_t busy_us;
    int64_t cache_size;      /* 0: as SQLite has it */
    bool memory, foreign_keys, read_only;
    bool own_vfs;            /* the URL names one */
    bool parted;             /* in the child of a fork: a transaction of the parent was open, see dbm__sqlite_forked */
    dbm__word left_open;     /* and there is no way around it */
} dbm__sqlite_base;

/* Statements that each connection keeps: prepared when first needed, stepped and reset ever after. */
enum {
    DBM__SQLITE_BEGIN, DBM__SQLITE_IMMEDIATE, DBM__SQLITE_COMMIT, DBM__SQLITE_ROLLBACK, DBM__SQLITE_PING,
    DBM__SQLITE_SAVEPOINT,   /* and from here on, for each level: SAVEPOINT, RELEASE, ROLLBACK TO */
    DBM__SQLITE_LEVELS = 4,  /* deeper ones are prepared each time */
    DBM__SQLITE_WORDS = DBM__SQLITE_SAVEPOINT + 3 * DBM__SQLITE_LEVELS
};

/* Whether an operation runs. A cancel turns ACTIVE into CANCELLED and nothing else, so none is left over for the next
 * operation. */
enum { DBM__SQLITE_IDLE = 0, DBM__SQLITE_ACTIVE, DBM__SQLITE_CANCELLED };

/* Of a connection. */
typedef struct dbm__sqlite {
    sqlite3 *db;
    dbm_connection *c;
    dbm_database *owner;
    dbm__sqlite_base *base;
    sqlite3_stmt *running;   /* what the current or last operation steps; NULL: nothing of ours */
    int64_t deadline_us;     /* of that operation */
    int64_t waited_us;       /* that it waited for locks so far */
    int64_t wait_from;       /* where the wait in progress began */
    int64_t slept_us;        /* of the wait in progress: also ends it where the clock stands still */
    dbm__word state;         /* DBM__SQLITE_IDLE ...; only a cancel changes it from another thread */
    dbm__word epoch;         /* of forks, at connect */
    bool timed_out;          /* the deadline ended a statement, or a wait */
    bool read_only;          /* the transaction is */
    bool wal;
    bool connecting;
    bool ending;             /* COMMIT or ROLLBACK, which nothing may stop */
    struct dbm__sqlite_chunk *spare; /* of rows put aside, for the next ones */
    sqlite3_stmt *words[DBM__SQLITE_WORDS];
} dbm__sqlite;

/* Rows that were put aside: a list, in chunks that grow. A row is its head, then its values, then their texts. */
typedef struct dbm__sqlite_row { struct dbm__sqlite_row *next; } dbm__sqlite_row;
typedef struct dbm__sqlite_chunk { struct dbm__sqlite_chunk *next; size_t size, used; } dbm__sqlite_chunk;
#define DBM__SQLITE_ALIGNED(n) (((n) + 7u) & ~(size_t)7u)
#define DBM__SQLITE_CHUNK ((size_t)4096) /* the first one */

/* Of a statement: what prepared->data and, while its rows are read, op->result point to. */
typedef struct dbm__sqlite_statement {
    sqlite3_stmt *stmt;
    dbm__sqlite *q;
    int parameters;
    int columns;             /* of the result in progress */
    bool writes, rows;
    bool inserts;            /* INSERT, REPLACE, or WITH: may generate a key */
    bool reads_id;           /* calls last_insert_rowid(), which must then show the last key */
    bool random;             /* calls random(): another run would give other rows */
    /* Of the result in progress. */
    bool touched;            /* a column of the row in hand was read: its text must stay where it is */
    bool ended;              /* no more rows; stepping again would run it again */
    bool held;               /* the rest of the rows, or all of them, are in `first` */
    int64_t seen;            /* rows, the one in hand included */
    dbm__sqlite_row *row;    /* the row in hand, when it is one of those put aside */
    dbm__sqlite_row *first;
    dbm__sqlite_chunk *chunks;
} dbm__sqlite_statement;

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static dbm_status dbm__sqlite_say(dbm__sqlite *q, dbm_status status, const char *sqlstate, int native,
                                  const char *format, ...) {
    char block[1000];
    dbm__text t = dbm__text_in(block, sizeof block);
    va_list ap;
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    dbm__text_end(&t);
    return dbm_adapter_fail(q->c, status, sqlstate, native, block);
}

/* Which of our statuses a result code is. */
static dbm_status dbm__sqlite_status(int rc, const char **sqlstate, bool *retryable) {
    *retryable = false;
    *sqlstate = NULL;
    switch (rc) {
    case SQLITE_BUSY_SNAPSHOT: *retryable = true; *sqlstate = "40001"; return DBM_E_SERIALIZATION;
    case SQLITE_IOERR_NOMEM: *sqlstate = "53200"; return DBM_E_NOMEM;
    case SQLITE_LOCKED: *sqlstate = "55006"; return DBM_E_MISUSE; /* by this very connection: no wait would help */
    case SQLITE_CONSTRAINT_UNIQUE: case SQLITE_CONSTRAINT_PRIMARYKEY: case SQLITE_CONSTRAINT_ROWID:
        *sqlstate = "23505";
        break;
    case SQLITE_CONSTRAINT_NOTNULL: *sqlstate = "23502"; break;
    case SQLITE_CONSTRAINT_FOREIGNKEY: *sqlstate = "23503"; break;
    case SQLITE_CONSTRAINT_CHECK: *sqlstate = "23514"; break;
    default: break;
    }
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT: if (*sqlstate == NULL) *sqlstate = "23000"; return DBM_E_CONSTRAINT;
    case SQLITE_BUSY: case SQLITE_LOCKED: case SQLITE_PROTOCOL:
        *retryable = true;
        *sqlstate = "55P03";
        return DBM_E_TIMEOUT;
    case SQLITE_SCHEMA: *retryable = true; return DBM_E_SQL;
    case SQLITE_ABORT: *sqlstate = "40000"; return DBM_E_ROLLED_BACK;
    case SQLITE_INTERRUPT: *sqlstate = "57014"; return DBM_E_CANCELLED;
    case SQLITE_READONLY: *sqlstate = "25006"; return DBM_E_READ_ONLY;
    case SQLITE_NOMEM: *sqlstate = "53200"; return DBM_E_NOMEM;
    case SQLITE_FULL: *sqlstate = "53100"; return DBM_E_LIMIT;
    case SQLITE_TOOBIG: *sqlstate = "54000"; return DBM_E_LIMIT;
    case SQLITE_RANGE: return DBM_E_RANGE;
    case SQLITE_MISUSE: return DBM_E_MISUSE;
    case SQLITE_IOERR: *sqlstate = "58030"; return DBM_E_LOST;
    case SQLITE_NOTADB: *sqlstate = "XX001"; return DBM_E_CONNECT;
    case SQLITE_CORRUPT: *sqlstate = "XX001"; return DBM_E_SQL;
    case SQLITE_CANTOPEN: *sqlstate = "58030"; return DBM_E_SQL;
    case SQLITE_AUTH: case SQLITE_PERM: *sqlstate = "42501"; return DBM_E_SQL;
    case SQLITE_MISMATCH: *sqlstate = "42804"; return DBM_E_SQL;
    default: return DBM_E_SQL;
    }
}

/* SQLITE_ERROR has no finer codes; its texts have been the same for a decade. */
static const char *dbm__sqlite_sqlstate(const char *said) {
    static const struct { const char *part, *state; } known[] = {
        { "no such column", "42703" }, { "no such table", "42P01" }, { "syntax error", "42601" },
        { "incomplete input", "42601" }, { "unrecognized token", "42601" }, { "no such function", "42883" },
        { "already exists", "42P07" }, { "no such savepoint", "3B001" }, { "within a transaction", "25001" },
        { "no transaction is active", "25P01" }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) if (strstr(said, known[i].part) != NULL) return known[i].state;
    return "42000";
}

static dbm_status dbm__sqlite_constraint(dbm__sqlite *q, int rc, const char *sqlstate, const char *said) {
    dbm_constraint kind = DBM_CONSTRAINT_OTHER;
    const char *name = strstr(said, "constraint failed: ");
    char copy[128]; /* `said` is SQLite's, and not to be relied on after the first report */
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE: kind = DBM_CONSTRAINT_UNIQUE; break;
    case SQLITE_CONSTRAINT_PRIMARYKEY: case SQLITE_CONSTRAINT_ROWID: kind = DBM_CONSTRAINT_PRIMARY_KEY; break;
    case SQLITE_CONSTRAINT_NOTNULL: kind = DBM_CONSTRAINT_NOT_NULL; break;
    case SQLITE_CONSTRAINT_FOREIGNKEY: kind = DBM_CONSTRAINT_FOREIGN_KEY; break;
    case SQLITE_CONSTRAINT_CHECK: kind = DBM_CONSTRAINT_CHECK; break;
    default: name = NULL; break;
    }
    dbm__copy_cut(copy, sizeof copy, name != NULL ? name + strlen("constraint failed: ") : "");
    dbm__sqlite_say(q, DBM_E_CONSTRAINT, sqlstate, rc, "%s", said);
    dbm_adapter_fail_constraint(q->c, kind, copy);
    return DBM_E_CONSTRAINT;
}

/* Why a file can't be opened, in words: SQLite only says that it can't. */
static const char *dbm__sqlite_why(const dbm__sqlite *q, char *block, size_t capacity) {
    dbm__text t = dbm__text_in(block, capacity);
    const dbm__sqlite_base *base = q->base;
#if DBM__SQLITE_POSIX
    struct stat file;
    if (base->memory) return "";
    if (stat(base->path, &file) == 0) {
        if (S_ISDIR(file.st_mode)) dbm__put(&t, ": it is a directory; name a file in it");
        else if (access(base->path, R_OK) != 0) dbm__put(&t, ": this process has no permission to read it");
        else if (sqlite3_system_errno(q->db) == EMFILE) dbm__put(&t, ": this process has too many open files");
        else dbm__put(&t, ": if it is in WAL mode, its -wal and -shm files must be there, or the directory must be "
                          "writable; immutable=1 opens a file that nobody writes");
    } else if (errno == EACCES) {
        dbm__put(&t, ": this process has no permission for a directory of this path");
    } else {
        const char *slash = strrchr(base->path, '/');
        size_t size = slash != NULL ? (size_t)(slash - base->path) : 0;
        char *dir = block; /* the directory's name is needed before the text is */
        if (size == 0 || size >= capacity) return ": it does not exist";
        memcpy(dir, base->path, size);
        dir[size] = '\0';
        if (stat(dir, &file) != 0) {
            return ": its directory does not exist; create it or correct the path (sqlite:///a.db, sqlite:////dir/a.db)";
        }
        if (!S_ISDIR(file.st_mode)) return ": what should be its directory is a file";
        if (access(dir, W_OK | X_OK) != 0) return ": it does not exist, and this process may not create it there";
        if (base->read_only) return ": it does not exist, and is opened for reading only";
        return ": it does not exist, and mode=rw does not create it (mode=rwc does)";
    }
#else
    int native = sqlite3_system_errno(q->db);
    if (base->memory || native == 0) return "";
    dbm__putf(&t, ": error %d of the system; look whether the directory exists and may be written", native);
#endif
    dbm__text_end(&t);
    return block;
}

/* Whether dbm_cancel was called: during this operation, or so shortly before it that it found none to cancel. */
DBM__INLINE bool dbm__sqlite_cancelled(dbm__sqlite *q) {
    return dbm__load(&q->state) == DBM__SQLITE_CANCELLED || (dbm__load(&q->c->cancelled) != 0 && !q->ending);
}

/* Reports what the connection's last call answered. Called before the statement is reset. */
static DBM__NOINLINE dbm_status dbm__sqlite_fail(dbm__sqlite *q, int rc) {
    const char *said, *sqlstate;
    dbm_status status;
    bool retryable, cancelled = dbm__sqlite_cancelled(q), timed_out = q->timed_out;
    int primary = rc & 0xff, offset;
    char why[DBM__SQLITE_PATH < 600 ? DBM__SQLITE_PATH : 600];
    dbm__store(&q->state, DBM__SQLITE_IDLE);
    q->timed_out = false;
    if (q->db != NULL && (sqlite3_extended_errcode(q->db) & 0xff) == primary) {
        if (rc == primary) rc = sqlite3_extended_errcode(q->db);
        said = sqlite3_errmsg(q->db);
    } else {
        said = sqlite3_errstr(rc);
    }
    status = dbm__sqlite_status(rc, &sqlstate, &retryable);
    if (status == DBM_E_NOMEM) return dbm_adapter_fail(q->c, status, sqlstate, rc, NULL);
    if (status == DBM_E_CONSTRAINT && !q->connecting) return dbm__sqlite_constraint(q, rc, sqlstate, said);
    if (primary == SQLITE_BUSY && cancelled) {
        status = DBM_E_CANCELLED;
        sqlstate = "57014";
        retryable = false;
    }
    if (primary == SQLITE_INTERRUPT && timed_out && !cancelled) status = DBM_E_TIMEOUT;
    if ((primary == SQLITE_IOERR || primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ||
         rc == SQLITE_READONLY_DBMOVED) && rc != SQLITE_CORRUPT_VTAB && !q->base->memory) {
        dbm_adapter_broken(q->c);
    }
    if (status == DBM_E_LOST && q->base->memory) status = DBM_E_SQL; /* of a temporary file: the database is well */
    if (q->connecting) {
        if (status != DBM_E_CANCELLED) status = DBM_E_CONNECT;
        if (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY) { /* of files that it may not make beside this one */
            return dbm__sqlite_say(q, status, "08001", rc,
                                   "can't open %q%s", q->base->path, dbm__sqlite_why(q, why, sizeof why));
        }
        if (primary == SQLITE_NOTADB) {
            return dbm__sqlite_say(q, status, sqlstate, rc,
                                   "%q is not an SQLite database, or it is encrypted", q->base->path);
        }
        dbm__sqlite_say(q, status, sqlstate, rc,
                        primary == SQLITE_BUSY ? "can't open %q: %s; waited %m" : "can't open %q: %s", q->base->path,
                        said, q->waited_us);
    } else if (status == DBM_E_CANCELLED) {
        dbm__sqlite_say(q, status, sqlstate, rc, "cancelled by dbm_cancel");
    } else if (primary == SQLITE_INTERRUPT) {
        dbm__sqlite_say(q, status, sqlstate, rc,
                        "the deadline passed while the statement was running, and it was stopped");
    } else if (status == DBM_E_SERIALIZATION) {
        dbm__sqlite_say(q, status, sqlstate, rc,
                        "another connection has written since this transaction first read; run it again "
                        "(DBM_RETRY does), or begin it with .write = 1");
    } else if (primary == SQLITE_BUSY && strstr(said, "in progress") != NULL) {
        status = DBM_E_MISUSE;
        retryable = false;
        dbm__sqlite_say(q, status, sqlstate, rc, "%s: end the queries of this session first", said);
    } else if (primary == SQLITE_BUSY && q->waited_us == 0) {
        dbm__sqlite_say(q, status, sqlstate, rc,
                        "%s: another connection is committing and waits for this transaction to end; "
                        "run it again", said);
    } else if (primary == SQLITE_BUSY) {
        dbm__sqlite_say(q, status, sqlstate, rc, "%s by another process or connection: waited %m%s", said, q->waited_us,
                        timed_out ? ", until the deadline" : " (busy_timeout)");
    } else if (rc == SQLITE_LOCKED) {
        dbm__sqlite_say(q, status, sqlstate, rc,
                        "%s: a query of this session is still being read; this statement needs it ended "
                        "(leave DBM_EACH, or dbm_rows_end)", said);
    } else if (rc == SQLITE_READONLY_DBMOVED) {
        dbm__sqlite_say(q, status, sqlstate, rc, "%q was moved, replaced or deleted while it was open", q->base->path);
    } else if (status == DBM_E_READ_ONLY) {
        dbm__sqlite_say(q, status, sqlstate, rc,
                        "%s: %q was opened with mode=ro, or the file or its directory may not be written",
                        said, q->base->path);
    } else if (primary == SQLITE_IOERR || primary == SQLITE_CORRUPT || primary == SQLITE_CANTOPEN ||
               primary == SQLITE_FULL || primary == SQLITE_NOTADB) {
        int native = sqlite3_system_errno(q->db);
        dbm__sqlite_say(q, status, sqlstate, rc, native != 0 ? "%s: %q (code %d, error %d of the system)" : "%s: %q (code %d)", said,
                        q->base->path, rc, native);
    } else {
        offset = q->db != NULL ? DBM__SQLITE_OFFSET(q->db) : -1;
        if (primary == SQLITE_ERROR) sqlstate = dbm__sqlite_sqlstate(said);
        dbm__sqlite_say(q, status, sqlstate, rc, offset >= 0 ? "%s (at byte %d of the statement)" : "%s", said,
                        offset + 1);
    }
    if (retryable) dbm_adapter_fail_retryable(q->c);
    return status;
}

static dbm_status dbm__sqlite_no_memory(dbm__sqlite *q) {
    return dbm_adapter_fail(q->c, DBM_E_NOMEM, "53200", 0, NULL);
}

/* ---- waiting and being stopped ----------------------------------------------------------------------------------- */

/* SQLite asks this when a lock is taken: wait and try again (1), or give up (0). */
static int dbm__sqlite_busy(void *data, int count) {
    static const unsigned short steps[] = { 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 20000 };
    dbm__sqlite *q = (dbm__sqlite *)data;
    int64_t now = dbm_adapter_clock(q->owner), left, step;
    if (count == 0) {
        q->wait_from = now;
        q->slept_us = 0;
    }
    q->waited_us = now - q->wait_from > q->slept_us ? now - q->wait_from : q->slept_us;
    left = q->base->busy_us - q->waited_us;
    q->timed_out = q->deadline_us != INT64_MAX && q->deadline_us - now < left;
    if (q->timed_out) left = q->deadline_us - now;
    if (q->waited_us == 0) q->waited_us = 1; /* that it was asked is seen by this */
    if (left <= 0 || dbm__sqlite_cancelled(q)) return 0;
    q->timed_out = false;
    step = (size_t)count < sizeof steps / sizeof steps[0] ? steps[count] : 25000;
    if (step > left) step = left;
    dbm__sleep_us(step);
    q->slept_us += step;
    return 1;
}

/* SQLite asks this now and then while a statement runs, and once more when it has run: then it is too late to stop
 * it, since what it did may be committed. */
static int dbm__sqlite_progress(void *data) {
    dbm__sqlite *q = (dbm__sqlite *)data;
    bool cancelled = dbm__sqlite_cancelled(q);
    if (!cancelled && (q->deadline_us == INT64_MAX || dbm_adapter_clock(q->owner) < q->deadline_us)) return 0;
    if (q->running == NULL || !sqlite3_stmt_busy(q->running)) return 0;
    q->timed_out = !cancelled;
    return 1;
}

/* In a transaction that has read, SQLite answers BUSY at once when somebody else is writing. In WAL mode that writer
 * does not wait for us, so waiting is safe: it ends with the lock, with BUSY_SNAPSHOT because that writer committed,
 * or with busy_timeout. */
static DBM__NOINLINE int dbm__sqlite_await_writer(dbm__sqlite *q, sqlite3_stmt *stmt, int rc) {
    int count = 0;
    if (q->waited_us != 0 || !q->wal || sqlite3_get_autocommit(q->db)) return rc;
    while (rc == SQLITE_BUSY && dbm__sqlite_busy(q, count++)) {
        sqlite3_reset(stmt);
        rc = sqlite3_step(stmt);
    }
    return rc;
}

static void dbm__sqlite_cancel(dbm_connection *c) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    dbm__word active = DBM__SQLITE_ACTIVE;
    if (q != NULL && dbm__cas(&q->state, &active, DBM__SQLITE_CANCELLED)) sqlite3_interrupt(q->db);
}

/* An operation begins, and ends. dbm__sqlite_fail() ends it too. */
DBM__INLINE void dbm__sqlite_enter(dbm__sqlite *q, sqlite3_stmt *running, int64_t deadline_us) {
    q->deadline_us = deadline_us;
    q->waited_us = 0;
    q->running = running;
    dbm__store(&q->state, DBM__SQLITE_ACTIVE);
}
DBM__INLINE void dbm__sqlite_leave(dbm__sqlite *q) { dbm__store(&q->state, DBM__SQLITE_IDLE); }

/* ---- small statements of our own --------------------------------------------------------------------------------- */

/* Runs one statement; the first column of its first row becomes a text. */
static int dbm__sqlite_run(dbm__sqlite *q, const char *sql, char *out, size_t capacity) {
    sqlite3_stmt *stmt = NULL;
    int rc;
    if (capacity != 0) out[0] = '\0';
    rc = sqlite3_prepare_v2(q->db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK) return rc;
    q->running = stmt;
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && capacity != 0) dbm__copy_cut(out, capacity, (const char *)sqlite3_column_text(stmt, 0));
    while (rc == SQLITE_ROW) rc = sqlite3_step(stmt);
    q->running = NULL;
    if (rc == SQLITE_DONE) rc = SQLITE_OK;
    if (rc == SQLITE_OK) sqlite3_finalize(stmt);
    else (void)sqlite3_finalize(stmt); /* the connection still knows the error */
    return rc;
}

static void dbm__sqlite_word_text(int word, char *block, size_t capacity) {
    static const char *const fixed[] = { "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK", "PRAGMA schema_version" };
    static const char *const levels[] = { "SAVEPOINT", "RELEASE", "ROLLBACK TO" };
    if (word < DBM__SQLITE_SAVEPOINT) {
        dbm__copy_cut(block, capacity, fixed[word]);
    } else {
        word -= DBM__SQLITE_SAVEPOINT;
        dbm__format(block, capacity, "%s dbm_%d", levels[word % 3], word / 3 + 1);
    }
}

static DBM__NOINLINE int dbm__sqlite_word_prepare(dbm__sqlite *q, int word) {
    char text[40];
    dbm__sqlite_word_text(word, text, sizeof text);
    return sqlite3_prepare_v3(q->db, text, -1, SQLITE_PREPARE_PERSISTENT, &q->words[word], NULL);
}

static dbm_status dbm__sqlite_word(dbm__sqlite *q, int word, int64_t deadline_us) {
    sqlite3_stmt *stmt;
    dbm_status status;
    int rc;
    if (DBM__UNLIKELY(word >= DBM__SQLITE_WORDS)) {
        char text[40];
        dbm__sqlite_word_text(word, text, sizeof text);
        dbm__sqlite_enter(q, NULL, deadline_us);
        rc = dbm__sqlite_run(q, text, NULL, 0);
        if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
        dbm__sqlite_leave(q);
        return DBM_OK;
    }
    if (DBM__UNLIKELY(q->words[word] == NULL)) {
        q->running = NULL;
        rc = dbm__sqlite_word_prepare(q, word);
        if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    }
    stmt = q->words[word];
    dbm__sqlite_enter(q, NULL, deadline_us); /* only its wait for a lock can be long */
    rc = sqlite3_step(stmt);
    if (DBM__LIKELY(rc == SQLITE_DONE || rc == SQLITE_ROW)) {
        sqlite3_reset(stmt);
        dbm__sqlite_leave(q);
        return DBM_OK;
    }
    status = dbm__sqlite_fail(q, rc);
    sqlite3_reset(stmt);
    return status;
}

/* ---- transactions ------------------------------------------------------------------------------------------------ */

static DBM__NOINLINE dbm_status dbm__sqlite_begin(dbm__sqlite *q, dbm_op *op) {
    dbm_status status;
    if (DBM__UNLIKELY(op->isolation == DBM_READ_COMMITTED || op->isolation == DBM_REPEATABLE_READ)) {
        return dbm__sqlite_say(q, DBM_E_UNSUPPORTED, NULL, 0,
                               "SQLite has the isolation levels SERIALIZABLE (its default), "
                               "READ UNCOMMITTED and AUTOCOMMIT");
    }
    status = dbm__sqlite_word(q, op->write ? DBM__SQLITE_IMMEDIATE : DBM__SQLITE_BEGIN, op->deadline_us);
    q->read_only = op->read_only && status == DBM_OK;
    return status;
}

/* A word that ends a transaction: no dbm_cancel may stop it. */
static dbm_status dbm__sqlite_end(dbm__sqlite *q, int word, int64_t deadline_us) {
    dbm_status status;
    q->ending = true;
    status = dbm__sqlite_word(q, word, deadline_us);
    q->ending = false;
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_commit(dbm__sqlite *q, dbm_op *op) {
    q->read_only = false;
    if (DBM__UNLIKELY(sqlite3_get_autocommit(q->db))) {
        return dbm__sqlite_say(q, DBM_E_ROLLED_BACK, "25P01", 0,
                               "SQLite had already rolled this transaction back when one of its "
                               "statements failed; nothing was committed");
    }
    return dbm__sqlite_end(q, DBM__SQLITE_COMMIT, op->deadline_us);
}

static void dbm__sqlite_reset_all(dbm__sqlite *q) {
    sqlite3_stmt *stmt = NULL;
    while ((stmt = sqlite3_next_stmt(q->db, stmt)) != NULL) sqlite3_reset(stmt);
}

static DBM__NOINLINE dbm_status dbm__sqlite_rollback(dbm__sqlite *q, dbm_op *op) {
    dbm_status status;
    q->read_only = false;
    if (sqlite3_get_autocommit(q->db)) return DBM_OK; /* a statement that failed has rolled back already */
    status = dbm__sqlite_end(q, DBM__SQLITE_ROLLBACK, op->deadline_us);
    if (DBM__LIKELY(status == DBM_OK)) return status;
    /* After an interrupt SQLite interrupts everything else too, as long as any statement is in progress. */
    dbm__sqlite_reset_all(q);
    if (sqlite3_get_autocommit(q->db)) return DBM_OK;
    status = dbm__sqlite_end(q, DBM__SQLITE_ROLLBACK, op->deadline_us);
    if (status != DBM_OK && !q->base->memory) dbm_adapter_broken(q->c);
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_savepoint(dbm__sqlite *q, dbm_op *op) {
    int word = DBM__SQLITE_SAVEPOINT + 3 * (op->savepoint - 1);
    dbm_status status;
    if (op->savepoint < 1) return dbm__sqlite_say(q, DBM_E_MISUSE, NULL, 0,
                                                  "savepoints are numbered from 1, not %d", op->savepoint);
    if (op->kind == DBM_OP_SAVEPOINT) return dbm__sqlite_word(q, word, op->deadline_us);
    if (op->kind == DBM_OP_RELEASE) return dbm__sqlite_word(q, word + 1, op->deadline_us);
    status = dbm__sqlite_word(q, word + 2, op->deadline_us);
    return status == DBM_OK ? dbm__sqlite_word(q, word + 1, op->deadline_us) : status;
}

/* ---- statements: prepare ----------------------------------------------------------------------------------------- */

static char dbm__sqlite_lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); }

/* Past blanks, comments and, between statements, semicolons. An open comment reaches to the end. */
static const char *dbm__sqlite_skip(const char *p, const char *end, bool semicolons) {
    while (p < end) {
        if (*p == ' ' || (*p >= '\t' && *p <= '\r') || (semicolons && *p == ';')) {
            p++;
        } else if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
            while (p < end && *p != '\n') p++;
        } else if (end - p >= 2 && p[0] == '/' && p[1] == '*') {
            for (p += 2; p < end && !(end - p >= 2 && p[0] == '*' && p[1] == '/'); p++) { }
            p = end - p >= 2 ? p + 2 : end;
        } else {
            break;
        }
    }
    return p;
}

static bool dbm__sqlite_word_is(const char *p, const char *end, const char *word) {
    for (; *word != '\0'; p++, word++) if (p >= end || dbm__sqlite_lower(*p) != *word) return false;
    return true;
}

/* Where a function of this name is called; also in a text in quotes, which does no harm. NULL: nowhere. */
static const char *dbm__sqlite_calls(const char *p, const char *end, const char *name) {
    size_t size = strlen(name);
    for (; p < end; p++) {
        const char *after;
        if (dbm__sqlite_lower(*p) != *name || !dbm__sqlite_word_is(p, end, name)) continue;
        after = dbm__sqlite_skip(p + size, end, false);
        if (after < end && *after == '(') return p;
    }
    return NULL;
}

/* The parameters that SQLite sees are not the `?` that were counted: one of them has a name or a number. */
static dbm_status dbm__sqlite_parameters(dbm__sqlite *q, sqlite3_stmt *stmt, int found, int counted) {
    int i;
    for (i = 1; i <= found; i++) {
        const char *name = sqlite3_bind_parameter_name(stmt, i);
        if (name == NULL) continue;
        if (name[0] == '?') {
            return dbm__sqlite_say(q, DBM_E_MISUSE, "42P02", 0,
                                   "the parameter %s is numbered: write ? for each value, or :name and "
                                   "pass dbm_named(\"name\", value)", name);
        }
        return dbm__sqlite_say(q, DBM_E_MISUSE, "42P02", 0,
                               "the parameter %s has a name: write :%s and pass dbm_named(\"%s\", value), "
                               "or write ? for each value", name, name + 1, name + 1);
    }
    return dbm__sqlite_say(q, DBM_E_MISUSE, "42P02", 0,
                           "SQLite sees %d parameters in this statement where dbm.h counted %d", found,
                           counted);
}

static DBM__NOINLINE dbm_status dbm__sqlite_prepare(dbm__sqlite *q, dbm_op *op) {
    dbm_prepared *p = op->prepared;
    const char *sql = p->sql, *end = sql + p->sql_size, *tail = NULL, *word;
    sqlite3_stmt *stmt = NULL;
    dbm__sqlite_statement *s;
    int rc, found;
    if (p->sql_size >= INT_MAX) return dbm__sqlite_fail(q, SQLITE_TOOBIG);
    dbm__sqlite_enter(q, NULL, op->deadline_us);
    /* One byte more, the NUL: so SQLite need not copy the text. */
    rc = sqlite3_prepare_v3(q->db, sql, (int)p->sql_size + 1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail);
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    dbm__sqlite_leave(q);
    if (stmt == NULL) return dbm__sqlite_say(q, DBM_E_MISUSE, "42601", 0, "the statement is empty, or only a comment");
    if (tail != NULL && dbm__sqlite_skip(tail, end, true) < end) {
        sqlite3_finalize(stmt);
        return dbm__sqlite_say(q, DBM_E_MISUSE, "42601", 0,
                               "there is text after the first statement, at byte %d: one statement at a "
                               "time; use dbm_script for several", (int)(tail - sql) + 1);
    }
    found = sqlite3_bind_parameter_count(stmt);
    if (found != p->parameters) {
        dbm_status status = dbm__sqlite_parameters(q, stmt, found, p->parameters);
        sqlite3_finalize(stmt);
        return status;
    }
    s = (dbm__sqlite_statement *)dbm_adapter_alloc(q->owner, sizeof *s);
    if (s == NULL) {
        sqlite3_finalize(stmt);
        return dbm__sqlite_no_memory(q);
    }
    memset(s, 0, sizeof *s);
    s->stmt = stmt;
    s->q = q;
    s->parameters = found;
    s->writes = !sqlite3_stmt_readonly(stmt) && !DBM__SQLITE_EXPLAINS(stmt);
    s->rows = sqlite3_column_count(stmt) > 0;
    if (s->writes) {
        word = dbm__sqlite_skip(sql, end, true);
        s->inserts = dbm__sqlite_word_is(word, end, "insert") || dbm__sqlite_word_is(word, end, "replace") ||
                     dbm__sqlite_word_is(word, end, "with");
        s->reads_id = dbm__sqlite_calls(word, end, "last_insert_rowid") != NULL;
    } else {
        s->random = dbm__sqlite_calls(sql, end, "random") != NULL || dbm__sqlite_calls(sql, end, "randomblob") != NULL;
    }
    p->data = s;
    p->writes = s->writes;
    p->returns_rows = s->rows;
    p->single = true;
    return DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__sqlite_unprepare(dbm__sqlite *q, dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->prepared->data;
    if (s == NULL) return DBM_OK;
    op->prepared->data = NULL;
    if (q->epoch == dbm__fork_epoch()) { /* else disconnect sees to it */
        if (q->running == s->stmt) q->running = NULL;
        sqlite3_finalize(s->stmt);
    }
    dbm_adapter_free(q->owner, s);
    return DBM_OK;
}

/* ---- statements: bind -------------------------------------------------------------------------------------------- */

static DBM__NOINLINE dbm_status dbm__sqlite_bind_failed(dbm__sqlite *q, const dbm_value *v, int number, int rc) {
    if (rc == SQLITE_NOMEM) return dbm__sqlite_no_memory(q);
    if (rc == SQLITE_TOOBIG) {
        return dbm__sqlite_say(q, DBM_E_LIMIT, "54000", rc,
                               "parameter %d has %z bytes, more than SQLite takes (SQLITE_LIMIT_LENGTH)",
                               number, v->as.text.size);
    }
    return dbm__sqlite_say(q, DBM_E_MISUSE, NULL, rc, "parameter %d can't be bound: %s", number, sqlite3_errstr(rc));
}

static DBM__NOINLINE dbm_status dbm__sqlite_value_refused(dbm__sqlite *q, const dbm_value *v, int number) {
    if (v->type == DBM_TYPE_UINT) {
        return dbm__sqlite_say(q, DBM_E_RANGE, "22003", 0,
                               "parameter %d is %u: SQLite's integers end at 9223372036854775807", number,
                               v->as.uinteger);
    }
    if (v->type == DBM_TYPE_DOUBLE) {
#if DBM__FLOAT
        return dbm__sqlite_say(q, DBM_E_RANGE, "22003", 0,
                               "parameter %d is not a number (NaN), which SQLite would store as NULL; pass "
                               "dbm_null() if that is meant", number);
#else
        return dbm__sqlite_say(q, DBM_E_UNSUPPORTED, NULL, 0,
                               "parameter %d is a double, and dbm.h was built with DBM_NO_FLOAT", number);
#endif
    }
    return dbm__sqlite_say(q, DBM_E_MISUSE, NULL, 0, "parameter %d has a type that can't be a value", number);
}

/* Binds parameter `number`, from 1. Texts stay where they are: the caller keeps them until FINISH. */
static DBM__NOINLINE dbm_status dbm__sqlite_bind_one(dbm__sqlite *q, sqlite3_stmt *stmt, const dbm_value *v,
                                                     int number) {
    const char *data = v->as.text.data;
    int rc = SQLITE_OK;
    switch (v->type) {
    case DBM_TYPE_INT: case DBM_TYPE_BOOL:
        rc = sqlite3_bind_int64(stmt, number, v->as.integer);
        break;
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
        rc = sqlite3_bind_text64(stmt, number, data != NULL ? data : "", v->as.text.size, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case DBM_TYPE_NULL:
        rc = sqlite3_bind_null(stmt, number);
        break;
    case DBM_TYPE_DOUBLE:
#if DBM__FLOAT
        if (v->as.real != v->as.real) return dbm__sqlite_value_refused(q, v, number);
        rc = sqlite3_bind_double(stmt, number, v->as.real);
        break;
#else
        return dbm__sqlite_value_refused(q, v, number);
#endif
    case DBM_TYPE_UINT:
        if (v->as.uinteger > (uint64_t)INT64_MAX) return dbm__sqlite_value_refused(q, v, number);
        rc = sqlite3_bind_int64(stmt, number, (sqlite3_int64)v->as.uinteger);
        break;
    case DBM_TYPE_BLOB: /* without an address it would become NULL */
        rc = sqlite3_bind_blob64(stmt, number, data != NULL ? data : "", v->as.text.size, SQLITE_STATIC);
        break;
    case DBM_TYPE_TIMESTAMP: {
        char text[32];
        dbm__timestamp_write(v->as.integer, text);
        rc = sqlite3_bind_text(stmt, number, text, -1, SQLITE_TRANSIENT);
        break;
    }
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED:
        return dbm__sqlite_value_refused(q, v, number);
    }
    return rc == SQLITE_OK ? DBM_OK : dbm__sqlite_bind_failed(q, v, number, rc);
}

DBM__INLINE dbm_status dbm__sqlite_bind(dbm__sqlite_statement *s, sqlite3_stmt *stmt, const dbm_value *v, int count) {
    int i;
    for (i = 1; i <= count; i++, v++) {
        dbm_status status;
        if (DBM__LIKELY(v->type == DBM_TYPE_INT && sqlite3_bind_int64(stmt, i, v->as.integer) == SQLITE_OK)) continue;
        status = dbm__sqlite_bind_one(s->q, stmt, v, i);
        if (DBM__UNLIKELY(status != DBM_OK)) return status;
    }
    return DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__sqlite_step_failed(dbm__sqlite *q, dbm__sqlite_statement *s, int rc) {
    dbm_status status = dbm__sqlite_fail(q, rc);
    sqlite3_reset(s->stmt);
    s->ended = true;
    return status;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

/* The value in a column. False: no memory. Reading a text may end in a failed allocation, which looks like NULL. */
DBM__INLINE bool dbm__sqlite_value(sqlite3_stmt *stmt, int i, dbm_value *out) {
    sqlite3_value *v = sqlite3_column_value(stmt, i);
    out->name = NULL;
    switch (sqlite3_value_type(v)) {
    case SQLITE_INTEGER:
        out->type = DBM_TYPE_INT;
        out->as.integer = sqlite3_value_int64(v);
        return true;
    case SQLITE_TEXT:
        out->type = DBM_TYPE_TEXT;
        out->as.text.data = (const char *)sqlite3_value_text(v);
        out->as.text.size = (size_t)sqlite3_value_bytes(v);
        return DBM__LIKELY(out->as.text.data != NULL);
    case SQLITE_FLOAT:
#if DBM__FLOAT
        out->type = DBM_TYPE_DOUBLE;
        out->as.real = sqlite3_value_double(v);
        return true;
#else
        out->type = DBM_TYPE_DECIMAL;
        out->as.text.data = (const char *)sqlite3_value_text(v);
        out->as.text.size = (size_t)sqlite3_value_bytes(v);
        return out->as.text.data != NULL;
#endif
    case SQLITE_BLOB:
        out->type = DBM_TYPE_BLOB;
        out->as.text.data = (const char *)sqlite3_value_blob(v);
        out->as.text.size = (size_t)sqlite3_value_bytes(v);
        if (out->as.text.data == NULL) {
            if (out->as.text.size != 0) return false;
            out->as.text.data = "";
        }
        return true;
    default:
        out->type = DBM_TYPE_NULL;
        out->as.integer = 0;
        return true;
    }
}

static dbm_value *dbm__sqlite_cells(dbm__sqlite_row *row) {
    return (dbm_value *)(void *)((char *)row + DBM__SQLITE_ALIGNED(sizeof *row));
}

static DBM__NOINLINE dbm_status dbm__sqlite_fetch_held(dbm__sqlite_statement *s) {
    if (s->row != NULL) {
        s->row = s->row->next;
    } else { /* the row in hand was SQLite's, and may go now */
        sqlite3_reset(s->stmt);
        s->row = s->first;
    }
    s->ended = s->row == NULL;
    s->seen += s->row != NULL;
    return s->row != NULL ? DBM_OK : DBM_DONE;
}

static dbm_status dbm__sqlite_fetch(dbm_connection *c, dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    dbm__sqlite *q;
    int rc;
    (void)c;
    if (s == NULL || s->ended) return DBM_DONE;
    if (DBM__UNLIKELY(s->held)) return dbm__sqlite_fetch_held(s);
    q = s->q;
    dbm__sqlite_enter(q, s->stmt, op->deadline_us);
    rc = sqlite3_step(s->stmt);
    s->touched = false;
    if (DBM__UNLIKELY(rc != SQLITE_ROW && rc != SQLITE_DONE)) return dbm__sqlite_step_failed(q, s, rc);
    dbm__sqlite_leave(q);
    if (DBM__LIKELY(rc == SQLITE_ROW)) {
        s->seen++;
        return DBM_OK;
    }
    s->ended = true;
    return DBM_DONE;
}

static DBM__NOINLINE dbm_status dbm__sqlite_column_failed(dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    (void)sqlite3_column_bytes(s->stmt, 0); /* whichever column: SQLite learns that the failure was noticed */
    return dbm__sqlite_no_memory(s->q);
}

static DBM__NOINLINE dbm_status dbm__sqlite_column_held(const dbm__sqlite_statement *s, int i, dbm_value *out) {
    if ((unsigned)i < (unsigned)s->columns) *out = dbm__sqlite_cells(s->row)[i];
    else *out = dbm_null(); /* as SQLite has it */
    return DBM_OK;
}

static dbm_status dbm__sqlite_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    (void)c;
    if (DBM__UNLIKELY(s->row != NULL)) return dbm__sqlite_column_held(s, i, out);
    s->touched = true;
    return DBM__LIKELY(dbm__sqlite_value(s->stmt, i, out)) ? DBM_OK : dbm__sqlite_column_failed(op);
}

static const char *dbm__sqlite_column_name(dbm_connection *c, dbm_op *op, int i) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    const char *name = s != NULL ? sqlite3_column_name(s->stmt, i) : NULL;
    (void)c;
    return name != NULL ? name : "";
}

/* ---- rows put aside ---------------------------------------------------------------------------------------------- */

static void dbm__sqlite_drop(dbm__sqlite_statement *s) {
    dbm__sqlite *q = s->q;
    while (s->chunks != NULL) {
        dbm__sqlite_chunk *next = s->chunks->next;
        if (s->chunks->size == DBM__SQLITE_CHUNK && q->spare == NULL) q->spare = s->chunks;
        else dbm_adapter_free(q->owner, s->chunks);
        s->chunks = next;
    }
    s->first = s->row = NULL;
}

/* Room in the newest chunk, or in a new one: as large as all before, within the limit. */
static void *dbm__sqlite_room(dbm__sqlite_statement *s, size_t size, size_t limit, size_t *held, dbm_status *status) {
    const size_t head = DBM__SQLITE_ALIGNED(sizeof(dbm__sqlite_chunk));
    dbm__sqlite_chunk *chunk = s->chunks;
    void *at;
    if (size > SIZE_MAX - head - 7) { *status = DBM_E_LIMIT; return NULL; }
    size = DBM__SQLITE_ALIGNED(size);
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t want = *held < DBM__SQLITE_CHUNK ? DBM__SQLITE_CHUNK : *held > 1048576 ? 1048576 : *held;
        if (*held > limit || limit - *held < head + size) { *status = DBM_E_LIMIT; return NULL; }
        if (want < head + size) want = head + size;
        if (want > limit - *held) want = limit - *held;
        chunk = want == DBM__SQLITE_CHUNK ? s->q->spare : NULL;
        if (chunk != NULL) s->q->spare = NULL;
        else chunk = (dbm__sqlite_chunk *)dbm_adapter_alloc(s->q->owner, want);
        if (chunk == NULL) { *status = DBM_E_NOMEM; return NULL; }
        chunk->next = s->chunks;
        chunk->size = want;
        chunk->used = head;
        s->chunks = chunk;
        *held += want;
    }
    at = (char *)chunk + chunk->used;
    chunk->used += size;
    return at;
}

/* Copies the row that stmt stands on. */
static dbm_status dbm__sqlite_copy(dbm__sqlite_statement *s, sqlite3_stmt *stmt, size_t limit, size_t *held,
                                   dbm__sqlite_row **out) {
    dbm_status status = DBM_OK;
    size_t size = DBM__SQLITE_ALIGNED(sizeof(dbm__sqlite_row)) + (size_t)s->columns * sizeof(dbm_value);
    dbm__sqlite_row *row = (dbm__sqlite_row *)dbm__sqlite_room(s, size, limit, held, &status);
    dbm_value *cells;
    int i;
    if (row == NULL) return status;
    row->next = NULL;
    cells = dbm__sqlite_cells(row);
    for (i = 0; i < s->columns; i++) {
        char *text;
        if (!dbm__sqlite_value(stmt, i, &cells[i])) {
            (void)sqlite3_column_bytes(stmt, i);
            return DBM_E_NOMEM;
        }
        if (cells[i].type != DBM_TYPE_TEXT && cells[i].type != DBM_TYPE_BLOB && cells[i].type != DBM_TYPE_DECIMAL) {
            continue;
        }
        text = (char *)dbm__sqlite_room(s, cells[i].as.text.size + 1, limit, held, &status);
        if (text == NULL) return status;
        memcpy(text, cells[i].as.text.data, cells[i].as.text.size);
        text[cells[i].as.text.size] = '\0';
        cells[i].as.text.data = text;
    }
    *out = row;
    return DBM_OK;
}

/* Copies rows from stmt until its end. `rc` is what its last step answered. */
static dbm_status dbm__sqlite_copy_rest(dbm__sqlite_statement *s, sqlite3_stmt *stmt, int rc, size_t limit) {
    dbm__sqlite *q = s->q;
    dbm__sqlite_row **last = &s->first;
    size_t held = 0;
    int64_t count = 0;
    for (; rc == SQLITE_ROW; rc = sqlite3_step(stmt)) {
        dbm_status status = dbm__sqlite_copy(s, stmt, limit, &held, last);
        if (status == DBM_E_NOMEM) return dbm__sqlite_no_memory(q);
        if (status != DBM_OK) {
            return dbm__sqlite_say(q, DBM_E_LIMIT, "54000", 0,
                                   "a statement that writes needs the rest of the rows of this query put aside, "
                                   "and they do not fit into row_buffer (%z bytes; %l rows are read, %l more did fit): "
                                   "raise row_buffer, read fewer rows at a time (LIMIT), or write after the loop",
                                   limit, s->seen, count);
        }
        count++;
        last = &(*last)->next;
    }
    return rc == SQLITE_DONE ? DBM_OK : dbm__sqlite_fail(q, rc);
}

/* As long as no column of the row in hand was read, it can be copied too, and stepping on is safe. */
static dbm_status dbm__sqlite_hold_here(dbm__sqlite_statement *s, size_t limit) {
    dbm_status status = dbm__sqlite_copy_rest(s, s->stmt, SQLITE_ROW, limit);
    sqlite3_reset(s->stmt); /* the row in hand can't be gone back to, so that a failure ends the result */
    if (status != DBM_OK) s->ended = true;
    s->row = s->first;
    return status;
}

/* Else the rows come from a second run, past those already seen, while the first one stands: stepping it would free
 * the texts that were handed out. */
static dbm_status dbm__sqlite_hold_aside(dbm__sqlite_statement *s, const dbm_op *op) {
    dbm__sqlite *q = s->q;
    sqlite3_stmt *again = NULL;
    dbm_status status;
    int64_t i;
    int rc = sqlite3_prepare_v2(q->db, sqlite3_sql(s->stmt), -1, &again, NULL);
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    status = dbm__sqlite_bind(s, again, op->values, op->value_count);
    if (status == DBM_OK) {
        q->running = again;
        rc = sqlite3_step(again);
        for (i = 0; i < s->seen && rc == SQLITE_ROW; i++) rc = sqlite3_step(again);
        if (i < s->seen && rc == SQLITE_DONE) {
            status = dbm__sqlite_say(q, DBM_E_UNSUPPORTED, NULL, 0,
                                     "this query gave fewer rows when it was run again, so that the rest of "
                                     "its rows can't be put aside for a statement that writes: write after the loop");
        } else if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
            status = dbm__sqlite_fail(q, rc);
        } else if (sqlite3_column_count(again) != s->columns) {
            status = dbm__sqlite_say(q, DBM_E_UNSUPPORTED, NULL, 0,
                                     "the columns of this query changed while it was being read");
        } else {
            status = dbm__sqlite_copy_rest(s, again, rc, op->row_buffer);
        }
        q->running = NULL;
    }
    sqlite3_finalize(again);
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_hold(dbm__sqlite *q, dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    dbm_status status;
    if (s == NULL || s->ended || s->held) return DBM_OK;
    if (s->random && s->touched) {
        return dbm__sqlite_say(q, DBM_E_UNSUPPORTED, NULL, 0,
                               "this query calls random(), so that another run would give other rows: write "
                               "after the loop, or read all of its rows first");
    }
    dbm__sqlite_enter(q, s->stmt, op->deadline_us);
    status = s->touched ? dbm__sqlite_hold_aside(s, op) : dbm__sqlite_hold_here(s, op->row_buffer);
    dbm__sqlite_leave(q);
    if (status == DBM_OK) s->held = true;
    else dbm__sqlite_drop(s);
    return status;
}

/* ---- statements: run --------------------------------------------------------------------------------------------- */

/* A statement whose first step gave no row, or one that has none. */
static DBM__NOINLINE dbm_status dbm__sqlite_no_row(dbm__sqlite *q, dbm__sqlite_statement *s, dbm_op *op, int rc) {
    if (rc == SQLITE_BUSY) rc = dbm__sqlite_await_writer(q, s->stmt, rc);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return dbm__sqlite_step_failed(q, s, rc);
    dbm__sqlite_leave(q);
    op->row = rc == SQLITE_ROW;
    s->ended = !op->row;
    if (s->rows || op->row) {
        s->seen = op->row;
        s->columns = op->columns = sqlite3_column_count(s->stmt);
        op->result = s;
    } else {
        sqlite3_reset(s->stmt);
        op->columns = 0;
        op->result = NULL;
    }
    return DBM_OK;
}

/* RETURNING. SQLite has done all of the work when it gives the first row, but checks foreign keys and commits after
 * the last one: so all rows are put aside at once, and a failure is one of EXECUTE. */
static DBM__NOINLINE dbm_status dbm__sqlite_returning(dbm__sqlite_statement *s, dbm_op *op, int rc) {
    dbm_status status = DBM_OK;
    s->columns = op->columns = sqlite3_column_count(s->stmt);
    op->result = s;
    op->row = rc == SQLITE_ROW;
    s->seen = op->row;
    s->ended = !op->row;
    s->held = true;
    if (op->row) status = dbm__sqlite_copy_rest(s, s->stmt, rc, op->row_buffer != 0 ? op->row_buffer : SIZE_MAX);
    s->row = s->first;
    op->settled = true;
    if (status == DBM_OK) return DBM_OK;
    if (sqlite3_stmt_busy(s->stmt)) { /* no memory for a row: ending it now would commit, so it is broken off */
        sqlite3_interrupt(s->q->db);
        (void)sqlite3_step(s->stmt);
    }
    op->result = NULL;
    op->row = false;
    dbm__sqlite_drop(s);
    return status;
}

/* A statement that writes. The last key is cleared before an INSERT, so that one without a key (WITHOUT ROWID, DO
 * NOTHING, DO UPDATE) does not show an older one; it is put back when no new one came, because SQL may ask for it
 * later. */
static DBM__NOINLINE dbm_status dbm__sqlite_write(dbm__sqlite *q, dbm__sqlite_statement *s, dbm_op *op) {
    sqlite3_int64 id = 0, key = 0;
    int64_t total;
    dbm_status status = DBM_OK;
    int rc;
    if (DBM__UNLIKELY(q->read_only || op->read_only)) {
        dbm__sqlite_leave(q);
        return dbm__sqlite_say(q, DBM_E_READ_ONLY, "25006", 0, "this session is .read_only, and the statement writes");
    }
    total = DBM__SQLITE_TOTAL(q->db);
    if (s->inserts && !s->reads_id) {
        id = sqlite3_last_insert_rowid(q->db);
        if (id != 0) sqlite3_set_last_insert_rowid(q->db, 0);
    }
    rc = sqlite3_step(s->stmt);
    if (DBM__UNLIKELY(rc == SQLITE_BUSY)) rc = dbm__sqlite_await_writer(q, s->stmt, rc);
    if (DBM__LIKELY(!s->rows)) {
        while (rc == SQLITE_ROW) rc = sqlite3_step(s->stmt);
        op->result = NULL;
        op->columns = 0;
        op->row = false;
    } else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        status = dbm__sqlite_returning(s, op, rc);
        rc = SQLITE_DONE;
    }
    if (s->inserts) {
        key = sqlite3_last_insert_rowid(q->db);
        if (key == 0 && id != 0) sqlite3_set_last_insert_rowid(q->db, id);
    }
    if (DBM__UNLIKELY(rc != SQLITE_DONE)) return dbm__sqlite_step_failed(q, s, rc);
    sqlite3_reset(s->stmt);
    dbm__sqlite_leave(q);
    op->affected = DBM__SQLITE_TOTAL(q->db) != total ? DBM__SQLITE_CHANGES(q->db) : 0;
    if (s->inserts && !(s->reads_id && op->affected == 0)) op->last_id = key;
    return status;
}

static DBM__NOINLINE dbm_status dbm__sqlite_wrong_count(dbm__sqlite *q, int expected, int given) {
    return dbm__sqlite_say(q, DBM_E_RANGE, "07001", 0,
                           "the statement has %d placeholders, and %d values were passed", expected, given);
}

static DBM__NOINLINE dbm_status dbm__sqlite_start(dbm__sqlite_statement *s, dbm_op *op) {
    dbm__sqlite *q;
    dbm_status status;
    int rc;
    if (DBM__UNLIKELY(op->value_count != s->parameters)) {
        return dbm__sqlite_wrong_count(s->q, s->parameters, op->value_count);
    }
    status = dbm__sqlite_bind(s, s->stmt, op->values, op->value_count);
    if (DBM__UNLIKELY(status != DBM_OK)) return status;
    q = s->q;
    dbm__sqlite_enter(q, s->stmt, op->deadline_us);
    s->touched = s->ended = s->held = false;
    s->row = NULL;
    if (s->writes) return dbm__sqlite_write(q, s, op);
    op->affected = -1;
    rc = sqlite3_step(s->stmt);
    if (DBM__UNLIKELY(rc != SQLITE_ROW)) return dbm__sqlite_no_row(q, s, op, rc);
    dbm__sqlite_leave(q);
    s->seen = 1;
    s->columns = op->columns = sqlite3_column_count(s->stmt); /* after the step: SQLite may have prepared it anew */
    op->result = s;
    op->row = true;
    return DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__sqlite_finish(dbm_op *op) {
    dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->result;
    if (s == NULL) return DBM_OK;
    op->result = NULL;
    sqlite3_reset(s->stmt); /* what it answers was reported by the step that failed */
    if (DBM__UNLIKELY(s->chunks != NULL)) dbm__sqlite_drop(s);
    return DBM_OK;
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static dbm_status dbm__sqlite_ping(dbm_connection *c, dbm_op *op) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    int moved = 0;
    if (!q->base->memory && sqlite3_file_control(q->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved) {
        /* In WAL mode SQLite itself never looks: it would go on with a file that nobody else sees. */
        dbm_adapter_broken(c);
        return dbm__sqlite_say(q, DBM_E_LOST, "58030", SQLITE_READONLY_DBMOVED, "%q was moved, replaced or deleted while it was open",
                               q->base->path);
    }
    return dbm__sqlite_word(q, DBM__SQLITE_PING, op->deadline_us); /* reads the file's first page */
}

static DBM__NOINLINE dbm_status dbm__sqlite_start_unprepared(dbm__sqlite *q, dbm_op *op) {
    dbm_status status = dbm__sqlite_prepare(q, op);
    if (status != DBM_OK || op->prepared->data == NULL) return status;
    return dbm__sqlite_start((dbm__sqlite_statement *)op->prepared->data, op);
}

static dbm_status dbm__sqlite_reset(dbm_connection *c, dbm_op *op);

static DBM__NOINLINE dbm_status dbm__sqlite_execute_other(dbm_connection *c, dbm_op *op) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    switch (op->kind) {
    case DBM_OP_EXECUTE: return dbm__sqlite_start_unprepared(q, op);
    case DBM_OP_FINISH: return dbm__sqlite_finish(op);
    case DBM_OP_BEGIN: return dbm__sqlite_begin(q, op);
    case DBM_OP_COMMIT: return dbm__sqlite_commit(q, op);
    case DBM_OP_ROLLBACK: return dbm__sqlite_rollback(q, op);
    case DBM_OP_SAVEPOINT: case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO: return dbm__sqlite_savepoint(q, op);
    case DBM_OP_PREPARE: return dbm__sqlite_prepare(q, op);
    case DBM_OP_UNPREPARE: return dbm__sqlite_unprepare(q, op);
    case DBM_OP_HOLD: return dbm__sqlite_hold(q, op);
    case DBM_OP_FETCH: return dbm__sqlite_fetch(c, op);
    case DBM_OP_PING: return dbm__sqlite_ping(c, op);
    case DBM_OP_RESET: return dbm__sqlite_reset(c, op);
    case DBM_OP_NATIVE:
        q->deadline_us = INT64_MAX;
        op->native = q->db;
        return DBM_OK;
    case DBM_OP_CONNECT: case DBM_OP_SCRIPT: case DBM_OP_COMMAND: case DBM__OP_SIGNED: break;
    }
    return DBM_E_UNSUPPORTED;
}

/* Only jumps: what runs once per statement has no frame of its own here. */
static dbm_status dbm__sqlite_execute(dbm_connection *c, dbm_op *op) {
    if (op->kind == DBM_OP_EXECUTE) {
        dbm__sqlite_statement *s = (dbm__sqlite_statement *)op->prepared->data;
        if (DBM__LIKELY(s != NULL)) return dbm__sqlite_start(s, op);
    }
    return op->kind == DBM_OP_FINISH ? dbm__sqlite_finish(op) : dbm__sqlite_execute_other(c, op);
}

static dbm_status dbm__sqlite_classify(dbm_connection *c, const char *sqlstate, int native, bool *retryable) {
    const char *state;
    (void)c;
    (void)sqlstate;
    return native != 0 ? dbm__sqlite_status(native, &state, retryable) : DBM_OK;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* What every connection has, set again when a session may have changed it. */
static int dbm__sqlite_set_up(dbm__sqlite *q) {
    const dbm__sqlite_base *base = q->base;
    char text[64];
    int rc;
    sqlite3_extended_result_codes(q->db, 1);
    sqlite3_busy_handler(q->db, dbm__sqlite_busy, q);
#if !defined(SQLITE_OMIT_PROGRESS_CALLBACK)
    sqlite3_progress_handler(q->db, DBM__SQLITE_STEPS, dbm__sqlite_progress, q);
#endif
    rc = sqlite3_db_config(q->db, SQLITE_DBCONFIG_ENABLE_FKEY, base->foreign_keys ? 1 : 0, NULL);
    if (rc != SQLITE_OK) return rc;
    dbm__format(text, sizeof text, "PRAGMA synchronous = %s", base->synchronous);
    rc = dbm__sqlite_run(q, text, NULL, 0);
    if (rc != SQLITE_OK || base->cache_size == 0) return rc;
    dbm__format(text, sizeof text, "PRAGMA cache_size = %l", base->cache_size);
    return dbm__sqlite_run(q, text, NULL, 0);
}

/* The journal mode of a file. SQLite does not ask the busy handler when this fails for a lock, so it is tried again
 * here; another connection may be making the same file new. */
static dbm_status dbm__sqlite_journal(dbm__sqlite *q) {
    const char *want = q->base->journal;
    char mode[16], pages[24], text[48];
    int count = 0, rc;
    do {
        /* The mode is asked last: by then the file has been read, and a mode that another connection has just set is
         * seen. */
        rc = dbm__sqlite_run(q, "PRAGMA page_count", pages, sizeof pages);
        if (q->base->journal == NULL) {
            want = strcmp(pages, "0") == 0 && sqlite3_db_readonly(q->db, "main") == 0 ? "wal" : NULL;
        }
        if (rc == SQLITE_OK) rc = dbm__sqlite_run(q, "PRAGMA journal_mode", mode, sizeof mode);
        if (rc == SQLITE_OK && want != NULL && !dbm__same_word(mode, want)) {
            dbm__format(text, sizeof text, "PRAGMA journal_mode = %s", want);
            rc = dbm__sqlite_run(q, text, mode, sizeof mode);
        }
    } while ((rc & 0xff) == SQLITE_BUSY && dbm__sqlite_busy(q, count++));
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    if (q->base->journal != NULL && !dbm__same_word(mode, want)) {
        return dbm__sqlite_say(q, DBM_E_CONNECT, NULL, 0,
                               "journal_mode = %s can't be had for %q, it is %s: the file may not be written, "
                               "or its file system has no shared memory; set journal_mode = auto", want, q->base->path,
                               mode);
    }
    q->wal = dbm__same_word(mode, "wal");
    dbm_adapter_readers_block(q->c, !q->wal);
    return DBM_OK;
}

static dbm_status dbm__sqlite_connect(dbm_connection *c, dbm_op *op) {
    dbm_database *owner = dbm_adapter_database(c);
    dbm__sqlite_base *base = (dbm__sqlite_base *)dbm_adapter_db_data(owner);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, rc;
    dbm_status status = DBM_OK;
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_alloc(owner, sizeof *q);
    if (q == NULL) return dbm_adapter_fail(c, DBM_E_NOMEM, "53200", 0, NULL);
    memset(q, 0, sizeof *q);
    q->c = c;
    q->owner = owner;
    q->base = base;
    dbm__sqlite_enter(q, NULL, op->deadline_us);
    q->epoch = dbm__fork_epoch();
    q->connecting = true;
    if (dbm__load(&base->left_open) != 0) {
        status = dbm__sqlite_say(q, DBM_E_FORKED, NULL, 0,
                                 "a transaction on %q was open when this process forked, so that SQLite can't "
                                 "open it safely in the child: fork outside of sessions, or exec", base->path);
    } else {
        rc = sqlite3_open_v2(base->uri, &q->db, flags, NULL);
        if (rc == SQLITE_OK) rc = dbm__sqlite_set_up(q);
        if (rc != SQLITE_OK) status = dbm__sqlite_fail(q, rc);
        else if (!base->memory) status = dbm__sqlite_journal(q);
    }
    if (status != DBM_OK) {
        sqlite3_close(q->db);
        dbm_adapter_free(owner, q);
        return status;
    }
    q->connecting = false;
    dbm__sqlite_leave(q);
    dbm_adapter_set_data(c, q);
    return DBM_OK;
}

static bool dbm__sqlite_idle(dbm__sqlite *q) {
    sqlite3_stmt *stmt = NULL;
    if (!sqlite3_get_autocommit(q->db)) return false;
    while ((stmt = sqlite3_next_stmt(q->db, stmt)) != NULL) if (sqlite3_stmt_busy(stmt)) return false;
    return true;
}

/* In the child of a fork. SQLite keeps its book of file locks per process and file, and the child has inherited the
 * book but not the locks: a new connection would rely on locks that are not there, and lose its WAL file when the
 * parent closes its last connection.
 *
 * So an idle connection is really closed, which clears the book. Without a checkpoint that neither reads nor writes
 * nor deletes a file, and the locks of the parent belong to the parent.
 *
 * A connection with a transaction can't be closed without rolling back in the parent's files: it stays open for ever,
 * untouched. Then the child must not find its entry in the book: SQLite is told another device number for that
 * file. */
#if DBM__SQLITE_POSIX && SIZE_MAX > 0xffffffffu /* elsewhere SQLite may have another struct stat */
typedef int (*dbm__sqlite_fstat)(int fd, struct stat *out);
/* Set in children only, before they have threads that use SQLite: there is nowhere else to keep it. */
static struct { dbm__sqlite_fstat next; int count; dev_t dev[8]; ino_t ino[8]; } dbm__sqlite_parents;

static int dbm__sqlite_fstat_here(int fd, struct stat *out) {
    int rc = dbm__sqlite_parents.next(fd, out), i;
    for (i = 0; rc == 0 && i < dbm__sqlite_parents.count; i++) {
        if (out->st_dev != dbm__sqlite_parents.dev[i] || out->st_ino != dbm__sqlite_parents.ino[i]) continue;
        out->st_dev = ~out->st_dev;
        break;
    }
    return rc;
}

static bool dbm__sqlite_part(const char *path) {
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    struct stat file;
    int i = dbm__sqlite_parents.count;
    if (vfs == NULL || vfs->iVersion < 3 || i >= 8 || stat(path, &file) != 0) return false;
    if (dbm__sqlite_parents.next == NULL) {
        dbm__sqlite_fstat next = (dbm__sqlite_fstat)vfs->xGetSystemCall(vfs, "fstat");
        if (next == NULL) return false;
        dbm__sqlite_parents.next = next;
        if (vfs->xSetSystemCall(vfs, "fstat", (sqlite3_syscall_ptr)dbm__sqlite_fstat_here) != SQLITE_OK) {
            dbm__sqlite_parents.next = NULL;
            return false;
        }
    }
    dbm__sqlite_parents.dev[i] = file.st_dev;
    dbm__sqlite_parents.ino[i] = file.st_ino;
    dbm__sqlite_parents.count = i + 1;
    return true;
}
#else
static bool dbm__sqlite_part(const char *path) {
    (void)path;
    return false;
}
#endif

static void dbm__sqlite_forked(dbm__sqlite *q) {
    sqlite3_stmt *stmt;
    if (!q->base->memory && !dbm__sqlite_idle(q)) {
        bool parted = q->base->parted || (!q->base->own_vfs && dbm__sqlite_part(q->base->path));
        if (!parted) dbm__store(&q->base->left_open, 1);
        q->base->parted = parted;
        return;
    }
    (void)sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    while ((stmt = sqlite3_next_stmt(q->db, NULL)) != NULL) sqlite3_finalize(stmt);
    sqlite3_close(q->db);
}

static void dbm__sqlite_disconnect(dbm_connection *c, dbm_disconnect how) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    int i;
    if (q == NULL) return;
    dbm_adapter_set_data(c, NULL);
    if (how == DBM_DISCONNECT_FORKED || q->epoch != dbm__fork_epoch()) {
        dbm__sqlite_forked(q);
    } else {
        q->running = NULL;
        q->deadline_us = INT64_MAX;
        for (i = 0; i < DBM__SQLITE_WORDS; i++) sqlite3_finalize(q->words[i]);
        sqlite3_busy_handler(q->db, NULL, NULL); /* neither handler may outlive q */
#if !defined(SQLITE_OMIT_PROGRESS_CALLBACK)
        sqlite3_progress_handler(q->db, 0, NULL, NULL);
#endif
        /* Statements that the program prepared on the native handle keep it alive until it finalizes them. */
        if (sqlite3_close(q->db) != SQLITE_OK) sqlite3_close_v2(q->db);
    }
    if (q->spare != NULL) dbm_adapter_free(q->owner, q->spare);
    dbm_adapter_free(q->owner, q);
}

/* Runs `DROP ...` or the like for what a query names, one name at a time, until it names nothing more. */
static int dbm__sqlite_clear(dbm__sqlite *q, const char *query, const char *format) {
    for (;;) {
        sqlite3_stmt *stmt = NULL;
        char *sql = NULL;
        int rc = sqlite3_prepare_v2(q->db, query, -1, &stmt, NULL);
        if (rc != SQLITE_OK) return rc;
        rc = sqlite3_step(stmt);
        if (rc == SQLITE_ROW) {
            sql = sqlite3_mprintf(format, (const char *)sqlite3_column_text(stmt, 0),
                                  (const char *)sqlite3_column_text(stmt, 1));
            if (sql == NULL) rc = SQLITE_NOMEM;
        }
        sqlite3_finalize(stmt);
        if (sql == NULL) return rc == SQLITE_DONE ? SQLITE_OK : rc;
        rc = dbm__sqlite_run(q, sql, NULL, 0);
        sqlite3_free(sql);
        if (rc != SQLITE_OK) return rc;
    }
}

/* A file is simply opened again; what is in memory has to be cleaned. */
static dbm_status dbm__sqlite_reset(dbm_connection *c, dbm_op *op) {
    dbm__sqlite *q = (dbm__sqlite *)dbm_adapter_data(c);
    int rc = SQLITE_OK;
    if (!q->base->memory) return DBM_E_UNSUPPORTED;
    dbm__sqlite_enter(q, NULL, op->deadline_us);
    q->read_only = false;
    dbm__sqlite_reset_all(q);
#if !defined(SQLITE_OMIT_AUTHORIZATION)
    sqlite3_set_authorizer(q->db, NULL, NULL);
#endif
    sqlite3_commit_hook(q->db, NULL, NULL);
    sqlite3_rollback_hook(q->db, NULL, NULL);
    sqlite3_update_hook(q->db, NULL, NULL);
    if (!sqlite3_get_autocommit(q->db)) rc = dbm__sqlite_run(q, "ROLLBACK", NULL, 0);
    /* Dropping tables must not be stopped by what refers to them. */
    if (rc == SQLITE_OK) rc = sqlite3_db_config(q->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    if (rc == SQLITE_OK) {
        rc = dbm__sqlite_clear(q,
                               "SELECT type, name FROM sqlite_temp_master WHERE type IN ('table', 'view', 'trigger') "
                               "AND name NOT LIKE 'sqlite~_%' ESCAPE '~' LIMIT 1", "DROP %s temp.\"%w\"");
    }
    if (rc == SQLITE_OK) {
        rc = dbm__sqlite_clear(q,
                               "SELECT '', name FROM pragma_database_list WHERE name NOT IN ('main', 'temp') LIMIT 1",
                               "DETACH%s \"%w\"");
    }
    if (rc == SQLITE_OK) rc = dbm__sqlite_set_up(q);
    if (rc != SQLITE_OK) return dbm__sqlite_fail(q, rc);
    dbm__sqlite_leave(q);
    return DBM_OK;
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static const char *const dbm__sqlite_uri_keys[] = { "mode", "cache", "immutable", "vfs", "nolock", "psow" };
#define DBM__SQLITE_URI_KEYS (sizeof dbm__sqlite_uri_keys / sizeof dbm__sqlite_uri_keys[0])

static dbm_status dbm__sqlite_refuse(dbm_database *db, const char *format, ...) {
    char block[800];
    dbm__text t = dbm__text_in(block, sizeof block);
    va_list ap;
    va_start(ap, format);
    dbm__putv(&t, format, ap);
    va_end(ap);
    dbm__text_end(&t);
    return dbm_adapter_fail_init(db, DBM_E_CONFIG, block);
}

/* The word of a list that an option is, or its default (the first). NULL: it is none of them, and the failure is
 * reported. */
static const char *dbm__sqlite_choice(dbm_database *db, const char *key, const char *const *words, size_t count,
                                      const char *list) {
    const char *value = dbm_adapter_option(db, key);
    size_t i;
    if (value == NULL) return words[0];
    for (i = 0; i < count; i++) if (dbm__same_word(value, words[i])) return words[i];
    dbm__sqlite_refuse(db, "%s = %s: expected one of %s", key, value, list);
    return NULL;
}

static bool dbm__sqlite_is_true(const char *value) {
    bool yes = false;
    return value != NULL && dbm__parse_bool(value, &yes) && yes;
}

static dbm_status dbm__sqlite_check_parameter(dbm_database *db, const char *name, const char *where) {
    size_t i;
    const char *near_one;
    char hint[40] = "";
    for (i = 0; i < DBM__SQLITE_URI_KEYS; i++) if (strcmp(name, dbm__sqlite_uri_keys[i]) == 0) return DBM_OK;
    if (dbm__list_has(DBM__SQLITE_OPTIONS, name, strlen(name))) return DBM_OK;
    near_one = dbm__nearest(name, dbm__sqlite_uri_keys, DBM__SQLITE_URI_KEYS);
    if (near_one != NULL) dbm__format(hint, sizeof hint, "; did you mean %s?", near_one);
    return dbm__sqlite_refuse(db, "%s %q is not known; known are mode, cache, immutable, vfs, nolock, psow, and the "
                              "options busy_timeout, foreign_keys, journal_mode, synchronous, cache_size%s", where,
                              name, hint);
}

static dbm_status dbm__sqlite_check_parameters(dbm_database *db) {
    static const char prefix[] = "connect_args.";
    const dbm_url *url = dbm_adapter_url(db);
    const dbm_config *config = dbm_adapter_config(db);
    const char *value;
    dbm_status status = DBM_OK;
    size_t i;
    for (i = 0; i < url->parameter_count && status == DBM_OK; i++) {
        status = dbm__sqlite_check_parameter(db, url->parameters[i].name, "the URL's parameter");
    }
    for (i = 0; i < config->option_count && status == DBM_OK; i++) {
        const char *name = config->options[i].name;
        if (strncmp(name, prefix, sizeof prefix - 1) != 0) continue;
        status = dbm__sqlite_check_parameter(db, name + sizeof prefix - 1, "the connect_args key");
    }
    if (status != DBM_OK) return status;
    value = dbm_adapter_option(db, "mode");
    if (value != NULL && !dbm__list_has("ro,rw,rwc,memory", value, strlen(value))) {
        return dbm__sqlite_refuse(db, "mode = %s: expected one of ro, rw, rwc, memory", value);
    }
    value = dbm_adapter_option(db, "cache");
    if (value != NULL && !dbm__list_has("shared,private", value, strlen(value))) {
        return dbm__sqlite_refuse(db, "cache = %s: expected shared or private", value);
    }
    value = dbm_adapter_option(db, "vfs");
    if (value != NULL && sqlite3_vfs_find(value) == NULL) {
        return dbm__sqlite_refuse(db, "vfs = %s: SQLite has no VFS of this name; one of the program's own must be "
                                  "registered (sqlite3_vfs_register) before the database is first used", value);
    }
    return DBM_OK;
}

static dbm_status dbm__sqlite_check_options(dbm_database *db, dbm__sqlite_base *base) {
    static const char *const journals[] = { "auto", "wal", "delete", "truncate", "persist", "memory", "off" };
    static const char *const syncs[] = { "full", "off", "normal", "extra" };
    const char *value = dbm_adapter_option(db, "busy_timeout");
    int ms = 5000;
    if (value != NULL && (!dbm__parse_duration(value, &ms) || ms < 0)) {
        return dbm__sqlite_refuse(db,
                                  "busy_timeout = %s: expected a duration such as 5s or 200ms; 0 does not wait", value);
    }
    base->busy_us = (int64_t)ms * 1000;
    base->foreign_keys = true;
    value = dbm_adapter_option(db, "foreign_keys");
    if (value != NULL && !dbm__parse_bool(value, &base->foreign_keys)) {
        return dbm__sqlite_refuse(db, "foreign_keys = %s: expected true or false", value);
    }
    value = dbm_adapter_option(db, "cache_size");
    if (value != NULL && (!dbm__parse_int(value, -INT32_MAX, INT32_MAX, &base->cache_size) || base->cache_size == 0)) {
        return dbm__sqlite_refuse(db,
                                  "cache_size = %s: expected a number of pages, or of KiB when it is negative", value);
    }
    base->journal = dbm__sqlite_choice(db, "journal_mode", journals, sizeof journals / sizeof journals[0],
                                       "auto, wal, delete, truncate, persist, memory, off");
    if (base->journal == NULL) return DBM_E_CONFIG;
    if (base->journal == journals[0]) base->journal = NULL;
    base->synchronous = dbm__sqlite_choice(db, "synchronous", syncs, sizeof syncs / sizeof syncs[0],
                                           "off, normal, full, extra");
    if (base->synchronous == NULL) return DBM_E_CONFIG;
    switch (dbm_adapter_config(db)->isolation) {
    case DBM_READ_COMMITTED: case DBM_REPEATABLE_READ:
        return dbm__sqlite_refuse(db,
                                  "isolation_level: SQLite has SERIALIZABLE (default), READ UNCOMMITTED, AUTOCOMMIT");
    case DBM_ISOLATION_DEFAULT: case DBM_READ_UNCOMMITTED: case DBM_SERIALIZABLE: case DBM_AUTOCOMMIT:
    case DBM__ISOLATION_SIGNED: break;
    }
    return DBM_OK;
}

/* The one name of a file, whatever it is called by: absolute, without links. False: it is too long. When its
 * directory does not exist (yet), the name is only made absolute; connecting will say so. */
static bool dbm__sqlite_canonical(const char *path, const char *vfs_name, char *out, char *dir) {
    sqlite3_vfs *vfs;
#if DBM__SQLITE_POSIX && defined(PATH_MAX)
    if (vfs_name == NULL) {
        const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
        size_t size = slash == path ? 1 : slash != NULL ? (size_t)(slash - path) : 0, name_size = strlen(name);
        if (strlen(path) >= PATH_MAX) return false;
        if (realpath(path, out) != NULL) return true;
        memcpy(dir, size != 0 ? path : ".", size != 0 ? size : 1);
        dir[size != 0 ? size : 1] = '\0';
        if (realpath(dir, out) == NULL) {
            if (path[0] == '/') out[0] = '\0';
            else if (getcwd(out, PATH_MAX) == NULL) return false;
            name = path[0] == '/' ? path + 1 : path;
            name_size = strlen(name);
        }
        size = strlen(out);
        if (size == 1 && out[0] == '/') size = 0;
        if (size + 1 + name_size >= PATH_MAX) return false;
        out[size] = '/';
        memcpy(out + size + 1, name, name_size + 1);
        return true;
    }
#endif
    (void)dir;
    vfs = sqlite3_vfs_find(vfs_name);
    if (vfs != NULL && vfs->mxPathname < DBM__SQLITE_PATH &&
        (vfs->xFullPathname(vfs, path, DBM__SQLITE_PATH, out) & 0xff) == SQLITE_OK) {
        return true;
    }
    if (strlen(path) >= DBM__SQLITE_PATH) return false;
    dbm__copy_cut(out, DBM__SQLITE_PATH, path);
    return true;
}

static void dbm__sqlite_put_encoded(dbm__text *t, const char *text) {
    static const char digits[] = "0123456789ABCDEF";
    size_t i;
    for (i = 0; text[i] != '\0'; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '_' || c == '-' || c == ':' || (c == '/' && i != 1); /* `file://` would begin a host */
        char coded[3];
        coded[0] = '%';
        coded[1] = digits[((unsigned char)c >> 4) & 15];
        coded[2] = digits[(unsigned char)c & 15];
        dbm__put_n(t, plain ? &c : coded, plain ? 1 : 3);
    }
}

/* The block of a database: its settings, then its path, then its URI. */
static dbm_status dbm__sqlite_make(dbm_database *db, const dbm__sqlite_base *settings, const char *path) {
    size_t path_size = strlen(path) + 1, uri_size = 3 * path_size + 32, i;
    dbm__sqlite_base *base;
    dbm__text t;
    char *texts, between = '?';
    for (i = 0; i < DBM__SQLITE_URI_KEYS; i++) {
        const char *value = dbm_adapter_option(db, dbm__sqlite_uri_keys[i]);
        if (value != NULL) uri_size += strlen(dbm__sqlite_uri_keys[i]) + 3 * strlen(value) + 2;
    }
    base = (dbm__sqlite_base *)dbm_adapter_alloc(db, sizeof *base + path_size + uri_size);
    if (base == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    *base = *settings;
    texts = (char *)(base + 1);
    memcpy(texts, path, path_size);
    base->path = texts;
    base->uri = texts + path_size;
    t = dbm__text_in(texts + path_size, uri_size);
    dbm__put(&t, "file:");
    dbm__sqlite_put_encoded(&t, path);
    for (i = 0; i < DBM__SQLITE_URI_KEYS; i++) {
        const char *value = dbm_adapter_option(db, dbm__sqlite_uri_keys[i]);
        if (value == NULL) continue;
        dbm__putf(&t, "%c%s=", between, dbm__sqlite_uri_keys[i]);
        dbm__sqlite_put_encoded(&t, value);
        between = '&';
    }
    DBM_ASSERT(!t.cut);
    dbm_adapter_set_db_data(db, base);
    return DBM_OK;
}

static dbm_status dbm__sqlite_init_file(dbm_database *db, const dbm__sqlite_base *settings, const char *path) {
    static const char prefix[] = "sqlite:";
    char *key = (char *)dbm_adapter_alloc(db, sizeof prefix + 2 * DBM__SQLITE_PATH), *full;
    dbm_status status;
    if (key == NULL) return dbm_adapter_fail_init(db, DBM_E_NOMEM, dbm_status_text(DBM_E_NOMEM));
    memcpy(key, prefix, sizeof prefix);
    full = key + sizeof prefix - 1;
    if (!dbm__sqlite_canonical(path, dbm_adapter_option(db, "vfs"), full, full + DBM__SQLITE_PATH)) {
        status = dbm__sqlite_refuse(db, "the path %q is too long, or there is no current directory", path);
    } else {
        status = dbm_adapter_gate(db, key);
        if (status == DBM_OK) status = dbm__sqlite_make(db, settings, full);
    }
    dbm_adapter_free(db, key);
    return status;
}

static dbm_status dbm__sqlite_init(dbm_database *db) {
    const dbm_url *url = dbm_adapter_url(db);
    const char *path = url->path != NULL ? url->path : "", *mode;
    dbm__sqlite_base settings;
    dbm_status status;
    memset(&settings, 0, sizeof settings);
    if (sqlite3_libversion_number() < 3024000) {
        return dbm__sqlite_refuse(db, "the SQLite library is %s; 3.24 or newer is needed", sqlite3_libversion());
    }
#if DBM__THREADS
    if (!sqlite3_threadsafe()) {
        return dbm__sqlite_refuse(db, "the SQLite library was built with SQLITE_THREADSAFE=0, for programs without "
                                  "threads: build it with SQLITE_THREADSAFE=1 or 2, or dbm.h with DBM_NO_THREADS");
    }
#endif
    if (url->hosts != NULL && url->hosts[0] != '\0') {
        return dbm__sqlite_refuse(db, "the URL names a host (%s): write sqlite:///file.db for a relative path and "
                                  "sqlite:////dir/file.db for an absolute one", url->hosts);
    }
    status = dbm__sqlite_check_parameters(db);
    if (status == DBM_OK) status = dbm__sqlite_check_options(db, &settings);
    if (status != DBM_OK) return status;
    mode = dbm_adapter_option(db, "mode");
    settings.memory = path[0] == '\0' || strcmp(path, ":memory:") == 0 || (mode != NULL && strcmp(mode, "memory") == 0);
    settings.read_only = (mode != NULL && strcmp(mode, "ro") == 0) ||
                         dbm__sqlite_is_true(dbm_adapter_option(db, "immutable"));
    settings.own_vfs = dbm_adapter_option(db, "vfs") != NULL;
    if (!settings.memory) {
        if (path[strlen(path) - 1] == '/') {
            return dbm__sqlite_refuse(db, "the path %q names a directory; name a file in it", path);
        }
        return dbm__sqlite_init_file(db, &settings, path);
    }
    dbm_adapter_single(db);
    return dbm__sqlite_make(db, &settings, path[0] != '\0' ? path : ":memory:");
}

static void dbm__sqlite_close(dbm_database *db) {
    void *base = dbm_adapter_db_data(db);
    dbm_adapter_set_db_data(db, NULL);
    if (base != NULL) dbm_adapter_free(db, base);
}

static const dbm_adapter dbm__sqlite_adapter = {
    sizeof(dbm_adapter), DBM_ADAPTER_VERSION,
    "sqlite", "sqlite,file", DBM__SQLITE_OPTIONS,
    DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS | DBM_ADAPTER_NO_RECYCLE,
    DBM_PH_QUESTION, DBM_LEX_BRACKETS | DBM_LEX_BACKTICKS,
    dbm__sqlite_init, dbm__sqlite_close,
    dbm__sqlite_connect, dbm__sqlite_disconnect, NULL, dbm__sqlite_ping, dbm__sqlite_reset, dbm__sqlite_cancel,
    dbm__sqlite_classify,
    dbm__sqlite_execute, dbm__sqlite_fetch, dbm__sqlite_column, dbm__sqlite_column_name,
    NULL, NULL /* start, step: SQLite blocks */
};

DBM__FN const dbm_adapter *dbm__adapter_sqlite(void) { return &dbm__sqlite_adapter; }

DBM__FN void dbm__adapter_sqlite_shutdown(void) { (void)sqlite3_shutdown(); }

#endif /* DBM__SQLITE_MISSING */
#endif /* DBM_HAS_SQLITE */
/* --- end src/adapters/sqlite.c --- */
/* --- begin src/manager/manager.h --- */
/* The manager: names to databases, the adapter map, the configuration's way to a database that is ready, start and shutdown.
 * May call: everything above.
 * Must not know: drivers. Adapters come in through their public tables, the built-in ones too. */
#ifndef DBM__MANAGER_H
#define DBM__MANAGER_H

#ifdef __cplusplus
extern "C" {
#endif

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

DBM__FN dbm_database *dbm__manager_find(dbm_manager *mgr, const char *name);
/* Initialises the adapter and the pool of a database, once. */
DBM__FN dbm_status dbm__database_ready(dbm_database *db);
DBM__FN dbm_status dbm__manager_add(dbm_manager *mgr, dbm__settings **settings, size_t count);
DBM__FN dbm__names *dbm__manager_names(dbm_manager *mgr);
DBM__FN void dbm__upkeep_start(dbm_manager *mgr);
DBM__FN void dbm__upkeep_end(dbm_manager *mgr);

#ifdef __cplusplus
}
#endif
#endif /* DBM__MANAGER_H */
/* --- end src/manager/manager.h --- */
/* --- begin src/manager/manager.c --- */
/* Databases in and out: registering adapters, loading configurations, finding by name, getting one ready.
 * May call: everything above manager/.
 * Must not know: what a session does. */

/* What the linker says when two files define DBM_IMPLEMENTATION. */
#if !defined(DBM_STATIC)
extern const char dbm__only_one_file_may_define_DBM_IMPLEMENTATION;
DBM__DEF const char dbm__only_one_file_may_define_DBM_IMPLEMENTATION = 1;
#endif

/* Types that dbm.h knows by name, whether or not they are compiled in. Without a package: this version has no adapter for it. */
typedef struct dbm__builtin { const char *type, *schemes, *macro, *package; } dbm__builtin;
static const dbm__builtin dbm__builtins[] = {
    { "sqlite", "sqlite,file", "DBM_WITH_SQLITE", "libsqlite3-dev" },
    { "postgresql", "postgresql,postgres", "DBM_WITH_POSTGRESQL", NULL },
    { "mysql", "mysql,mariadb", "DBM_WITH_MYSQL", NULL },
    { "redis", "redis,rediss,unix", "DBM_WITH_REDIS", NULL },
    { "mongodb", "mongodb,mongodb+srv", "DBM_WITH_MONGODB", NULL }
};
enum { DBM__BUILTINS = (int)(sizeof dbm__builtins / sizeof dbm__builtins[0]) };

DBM__DEF bool dbm_compiled_with(const char *what) {
    if (what == NULL) return false;
    if (dbm__same_word(what, "sqlite")) return DBM_HAS_SQLITE != 0;
    if (dbm__same_word(what, "postgresql")) return DBM_HAS_POSTGRESQL != 0;
    if (dbm__same_word(what, "mysql")) return DBM_HAS_MYSQL != 0;
    if (dbm__same_word(what, "redis")) return DBM_HAS_REDIS != 0;
    if (dbm__same_word(what, "mongodb")) return DBM_HAS_MONGODB != 0;
    if (dbm__same_word(what, "ini")) return DBM_HAS_INI != 0;
    if (dbm__same_word(what, "threads")) return DBM__THREADS != 0;
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
    const char *p;
    if (mgr == NULL) return dbm__fail_null("manager");
    st = dbm__adapter_check(adapter);
    if (st != DBM_OK) return st;
    dbm__lock_take(&mgr->lock);
    if (dbm__adapter_find(mgr, adapter->type) != NULL) {
        dbm__lock_give(&mgr->lock);
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: the type %q is registered already", adapter->type);
    }
    for (p = adapter->schemes != NULL ? adapter->schemes : adapter->type; *p != 0;) {
        const char *end = p;
        const dbm_adapter *other;
        while (*end != 0 && *end != ',') end++;
        other = dbm__adapter_of_scheme(mgr, p, (size_t)(end - p));
        if (other != NULL) {
            dbm__lock_give(&mgr->lock);
            return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: a URL scheme of %q belongs to the type %q already", adapter->type, other->type);
        }
        p = *end != 0 ? end + 1 : end;
    }
    more = (const dbm_adapter **)dbm__resize(&mgr->shared->host, (void *)mgr->adapters, (size_t)(mgr->adapter_count + 1) * sizeof *more);
    if (more == NULL) {
        dbm__lock_give(&mgr->lock);
        return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    }
    mgr->adapters = more;
    mgr->adapters[mgr->adapter_count++] = adapter;
    dbm__lock_give(&mgr->lock);
    return DBM_OK;
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

DBM__FN dbm__names *dbm__manager_names(dbm_manager *mgr) { return (dbm__names *)dbm__load_acquire(&mgr->names); }

DBM__FN dbm_database *dbm__manager_find(dbm_manager *mgr, const char *name) {
    const dbm__names *names = dbm__manager_names(mgr);
    int i;
    if (DBM__UNLIKELY(name == NULL || name[0] == 0)) name = "default";
    for (i = 0; i < names->count; i++) {
        if (names->items[i]->name[0] == name[0] && strcmp(names->items[i]->name, name) == 0) return names->items[i];
    }
    return NULL;
}

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
    return dbm__fail(DBM_E_UNKNOWN_NAME, DBM_STAGE_CONFIG, name, NULL, "no database is named %q%s%s%s; %s%s", name, near_one != NULL ? "; did you mean '" : "",
                     near_one != NULL ? near_one : "", near_one != NULL ? "'?" : "", names->count != 0 ? "there are: " : "none is configured: call dbm_load or dbm_add_database first",
                     block);
}

static void dbm__database_drop(dbm__shared *shared, dbm_database *db) {
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
        db->one_result = (db->adapter->flags & DBM_ADAPTER_ONE_RESULT) != 0;
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

/* Problems are lines; a message does not end in one. */
static void dbm__trim_newline(char *text) {
    size_t n = strlen(text);
    if (n != 0 && text[n - 1] == '\n') text[n - 1] = 0;
}

static dbm_status dbm__load_from(dbm_manager *mgr, const char *path, const char *text, size_t size) {
    dbm__known_type *types = NULL;
    dbm__settings_list list;
    dbm__problems problems;
    char block[sizeof ((dbm_error_info *)0)->message];
    size_t type_count = 0;
    dbm_status st;
    memset(&list, 0, sizeof list);
    st = dbm__known_types(mgr, &types, &type_count);
    if (st != DBM_OK) return st;
    dbm__problems_init(&problems, &mgr->shared->host, block, sizeof block);
    st = dbm__config_load(&mgr->shared->host, path, text, size, types, type_count, mgr->use_env, &list, &problems);
    dbm__trim_newline(block);
    if (problems.count != 0 && st != DBM_E_NOMEM) dbm__fail(st, DBM_STAGE_CONFIG, NULL, NULL, "%s", block);
    if (st == DBM_OK) st = dbm__manager_add(mgr, list.items, list.count);
    dbm__settings_list_free(&mgr->shared->host, &list);
    dbm__free(&mgr->shared->host, types);
    return st;
}

DBM__DEF dbm_status dbm_load(dbm_manager *mgr, const char *path) {
    if (mgr == NULL) return dbm__fail_null("manager");
    if (path == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_load: the path is NULL");
    return dbm__load_from(mgr, path, NULL, 0);
}

DBM__DEF dbm_status dbm_load_text(dbm_manager *mgr, const char *text, size_t size) {
    if (mgr == NULL) return dbm__fail_null("manager");
    if (text == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_load_text: the text is NULL");
    return dbm__load_from(mgr, "(text)", text, size == SIZE_MAX ? strlen(text) : size);
}

DBM__DEF dbm_status dbm_add_database(dbm_manager *mgr, const dbm_config *config) {
    dbm__known_type *types = NULL;
    dbm__settings *settings = NULL;
    dbm__problems problems;
    char block[sizeof ((dbm_error_info *)0)->message];
    size_t type_count = 0;
    dbm_status st;
    if (mgr == NULL) return dbm__fail_null("manager");
    if (config == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_add_database: the configuration is NULL");
    st = dbm__known_types(mgr, &types, &type_count);
    if (st != DBM_OK) return st;
    dbm__problems_init(&problems, &mgr->shared->host, block, sizeof block);
    st = dbm__config_make(&mgr->shared->host, config, types, type_count, &settings, &problems);
    dbm__trim_newline(block);
    if (problems.count != 0 && st != DBM_E_NOMEM) dbm__fail(st, DBM_STAGE_CONFIG, config->name, NULL, "%s", block);
    if (st == DBM_OK) st = dbm__manager_add(mgr, &settings, 1);
    if (settings != NULL) dbm__settings_free(&mgr->shared->host, settings);
    dbm__free(&mgr->shared->host, types);
    return st;
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
    if (DBM__UNLIKELY(mgr == NULL)) { dbm__fail_null("manager"); return NULL; }
    db = dbm__manager_find(mgr, name);
    if (DBM__UNLIKELY(db == NULL)) { dbm__unknown_name(mgr, name); return NULL; }
    if (DBM__UNLIKELY(dbm__database_ready(db) != DBM_OK)) return NULL;
    return db;
}

DBM__DEF dbm_status dbm_adapter_gate(dbm_database *db, const char *key) {
    db->gate = dbm__gate_of(db->shared, key);
    return db->gate != NULL ? DBM_OK : dbm__no_memory(DBM_STAGE_CONFIG, db->name, NULL);
}

DBM__DEF const char *dbm_database_name(const dbm_database *db) { return db != NULL ? db->name : ""; }
DBM__DEF const dbm_config *dbm_database_config(const dbm_database *db) {
    if (db == NULL) { dbm__fail_null("database"); return NULL; }
    return &db->settings->config;
}

DBM__DEF void *dbm_db_native(dbm_database *db, const char *type) {
    if (db == NULL) { dbm__fail_null("database"); return NULL; }
    if (type == NULL || !dbm__same_word(type, db->adapter->type) || db->data == NULL) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_NONE, db->name, NULL, "dbm_db_native: the database is of type %q%s", db->adapter->type,
                  db->data == NULL ? ", which has no handle of its own" : "");
        return NULL;
    }
    return db->data;
}
/* --- end src/manager/manager.c --- */
/* --- begin src/manager/lifecycle.c --- */
/* Start and end: creating a manager, opening all, health, upkeep, closing all, freeing.
 * May call: everything above manager/.
 * Must not know: how a configuration is written. */

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

static dbm_status dbm__database_check(dbm_database *db, const char *site) {
    dbm_session s;
    dbm__work *w;
    dbm_op op;
    dbm_status st;
    if (!dbm__database_connects(db)) return DBM_OK;
    st = dbm__session_open(db, NULL, NULL, DBM__KIND_CALL, site, &s);
    if (st != DBM_OK) return st;
    w = (dbm__work *)s.slot;
    dbm__op_init(&op, DBM_OP_PING, dbm__deadline(db->host, db->settings->config.connect_timeout_ms));
    st = dbm__op_run(&w->slot.connection, &op);
    if (st != DBM_OK) {
        dbm_error_info kept = dbm__self()->last;
        w->slot.connection.broken = true;
        dbm__session_close(&s);
        dbm__self()->last = kept;
        return st;
    }
    dbm__session_close(&s);
    return DBM_OK;
}

/* The first failure of several stays. */
static void dbm__first_failure(dbm_status *result, dbm_error_info *first, dbm_status st) {
    if (st == DBM_OK || *result != DBM_OK) return;
    *result = st;
    *first = dbm__self()->last;
}

/* Opens one connection of each database of a batch whose adapter needs not block, side by side on one poll. */
static void dbm__open_side_by_side(dbm__opening *openings, int count, dbm__host *host, dbm_status *result, dbm_error_info *first) {
    dbm__net_item items[DBM__NET_MANY];
    int of[DBM__NET_MANY], i, left = count;
    while (left > 0) {
        int64_t until = INT64_MAX;
        int waiting = 0;
        for (i = 0; i < count; i++) {
            dbm__opening *o = &openings[i];
            int64_t own;
            if (o->slot == NULL) continue;
            if (o->running.want == DBM_STEP_DONE) {
                dbm__first_failure(result, first, dbm__opening_end(o));
                o->slot = NULL;
                left--;
                continue;
            }
            own = dbm__running_until(&o->running);
            if (own < until) until = own;
            items[waiting].fd = o->running.want == DBM_STEP_TIMER ? -1 : o->op.fd;
            items[waiting].want = (int)o->running.want & DBM_STEP_BOTH;
            of[waiting++] = i;
        }
        if (waiting == 0) continue;
        dbm__net_wait_many(host, items, waiting, until);
        for (i = 0; i < waiting; i++) dbm__running_heard(&openings[of[i]].running, items[i].heard);
    }
}

DBM__DEF dbm_status dbm_init_all(dbm_manager *mgr) {
    const dbm__names *names;
    dbm__host *host;
    dbm__opening *openings;
    bool *tried;
    dbm_error_info first;
    dbm_status st, result = DBM_OK;
    int i, opening = 0, room;
    if (mgr == NULL) return dbm__fail_null("manager");
    names = dbm__manager_names(mgr);
    host = &mgr->shared->host;
    room = names->count < DBM__NET_MANY ? names->count : DBM__NET_MANY;
    openings = (dbm__opening *)dbm__alloc_zero(host, (size_t)room * sizeof *openings + (size_t)names->count * sizeof *tried);
    if (openings == NULL) return dbm__no_memory(DBM_STAGE_CONNECT, NULL, NULL);
    tried = (bool *)(void *)(openings + room);
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        st = dbm__database_ready(db);
        if (st != DBM_OK) {
            dbm__event(db->host, DBM_EVENT_ADAPTER_FAILED, DBM_LOG_INFO, db->name, NULL, st, 0, "%s", dbm__self()->last.message);
            dbm__first_failure(&result, &first, st);
            tried[i] = true;
        } else if (dbm__opening_start(&openings[opening], db->pool)) {
            tried[i] = true;
            if (++opening == room) {
                dbm__open_side_by_side(openings, opening, host, &result, &first);
                opening = 0;
            }
        }
    }
    dbm__open_side_by_side(openings, opening, host, &result, &first);
    for (i = 0; i < names->count; i++) {
        dbm_database *db = names->items[i];
        dbm_stats_info s;
        if (tried[i]) continue;
        dbm__pool_stats(db->pool, &s);
        if (s.open == 0) dbm__first_failure(&result, &first, dbm__database_check(db, "dbm_init_all"));
    }
    dbm__free(host, openings);
    return result == DBM_OK ? DBM_OK : dbm__fail_again(&first);
}

DBM__DEF dbm_status dbm_ping(dbm_database *db) {
    dbm_status st;
    if (db == NULL) return dbm__fail_null("database");
    st = dbm__database_ready(db);
    if (st != DBM_OK) return st;
    if (!dbm__database_connects(db)) {
        return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_CONNECT, db->name, NULL, "an adapter of type %q has no connections to ping", db->adapter->type);
    }
    return dbm__database_check(db, "dbm_ping");
}

DBM__DEF dbm_status dbm_health(dbm_manager *mgr, void (*fn)(void *ud, const dbm_health_info *info), void *ud) {
    const dbm__names *names;
    dbm_error_info first;
    dbm_status result = DBM_OK;
    int i;
    if (mgr == NULL) return dbm__fail_null("manager");
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
                dbm__pool_holders(db->pool, &t);
                info.status = dbm__fail(DBM_E_POOL_TIMEOUT, DBM_STAGE_CHECKOUT, db->name, NULL, "saturated: all %d connections are out, %d sessions wait; held by %s",
                                        s.out, s.waiting, block);
            } else {
                info.status = dbm__database_check(db, "dbm_health");
            }
        }
        info.latency_us = dbm__now(db->host) - began;
        if (info.status != DBM_OK) {
            dbm__copy_cut(text, sizeof text, dbm__self()->last.message);
            info.message = text;
            if (result == DBM_OK) {
                result = info.status;
                first = dbm__self()->last;
            }
        }
        if (fn != NULL) fn(ud, &info);
    }
    return result == DBM_OK ? DBM_OK : dbm__fail_again(&first);
}

DBM__DEF dbm_status dbm_stats(dbm_database *db, dbm_stats_info *out) {
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_stats: out is NULL");
    memset(out, 0, sizeof *out);
    if (db == NULL) return dbm__fail_null("database");
    if (db->pool != NULL) dbm__pool_stats(db->pool, out);
    return DBM_OK;
}

/* ---- upkeep ---------------------------------------------------------------------------------------------------------------------- */

DBM__DEF dbm_status dbm_maintain(dbm_manager *mgr) {
    const dbm__names *names;
    int i;
    if (mgr == NULL) return dbm__fail_null("manager");
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
    if (mgr == NULL) return dbm__fail_null("manager");
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
            dbm__pool_holders(db->pool, &who);
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
        dbm__settings_free(&shared->host, db->settings);
        dbm__free(&shared->host, db->init_error);
        dbm__lock_free(&db->init_lock);
        dbm__free(&shared->host, db);
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
    /* One count for us, one for each session that is out; whoever brings it to zero frees. */
    dbm__store(&shared->orphans, 1);
    names = dbm__manager_names(mgr);
    for (i = 0; i < names->count; i++) {
        if (names->items[i]->pool != NULL) dbm__pool_orphan(names->items[i]->pool);
    }
    if (dbm__add(&shared->orphans, (dbm__word)0 - 1u) == 1u) dbm__shared_free_all(shared);
}
/* --- end src/manager/lifecycle.c --- */
/* --- begin src/manager/byname.c --- */
/* The calls that the block macros make with a manager and a name.
 * May call: everything above manager/.
 * Must not know: anything but how a name becomes a database. */

/* The database of a name, ready. NULL: the last failure says why, and the block is refused with it. */
static dbm_database *dbm__by_name(dbm_manager *mgr, const char *name, const char *site) {
    dbm_database *db;
    if (DBM__LIKELY(mgr != NULL)) {
        db = dbm__manager_find(mgr, name);
        if (DBM__LIKELY(db != NULL && dbm__load_acquire(&db->state) == DBM__DB_READY)) return db;
    }
    db = dbm_get(mgr, name);
    if (db == NULL) dbm__copy_cut(dbm__self()->last.site, sizeof dbm__self()->last.site, site);
    return db;
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

DBM__DEF dbm_session dbm__retry_begin(dbm_manager *mgr, const char *name, int attempts, const char *site) {
    dbm_session s;
    dbm_database *db = dbm__by_name(mgr, name, site);
    if (db != NULL) return dbm__retry_begin_on(db, attempts, site);
    dbm__session_refused(&s, NULL, dbm__self()->last.status, DBM__KIND_BLOCK);
    return s;
}
/* --- end src/manager/byname.c --- */
#endif
/* --- begin src/api/licence.h --- */
/* dbm.h is available under two licenses. Choose the one you prefer.
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE A - MIT License
 *
 * Copyright (c) 2026 the dbm.h authors
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of
 * this software and associated documentation files (the "Software"), to deal in
 * the Software without restriction, including without limitation the rights to
 * use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies
 * of the Software, and to permit persons to whom the Software is furnished to do
 * so, subject to the following conditions:
 *
 * The above copyright notice and this permission notice shall be included in all
 * copies or substantial portions of the Software.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
 * LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
 * OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 *
 * ------------------------------------------------------------------------------
 * ALTERNATIVE B - Public Domain (www.unlicense.org)
 *
 * This is free and unencumbered software released into the public domain.
 *
 * Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
 * software, either in source code form or as a compiled binary, for any purpose,
 * commercial or non-commercial, and by any means.
 *
 * In jurisdictions that recognize copyright laws, the author or authors of this
 * software dedicate any and all copyright interest in the software to the public
 * domain. We make this dedication for the benefit of the public at large and to
 * the detriment of our heirs and successors. We intend this dedication to be an
 * overt act of relinquishment in perpetuity of all present and future rights to
 * this software under copyright law.
 *
 * THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
 * FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN
 * ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION
 * WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
 */
/* --- end src/api/licence.h --- */
