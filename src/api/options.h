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
#  define DBM_HAS_POSTGRESQL DBM__WITH_ALL
#endif
#if defined(DBM_WITH_MYSQL)
#  if (7 - DBM_WITH_MYSQL - 7)
#    define DBM_HAS_MYSQL 1
#  else
#    define DBM_HAS_MYSQL 0
#  endif
#else
#  define DBM_HAS_MYSQL DBM__WITH_ALL
#endif
#if defined(DBM_WITH_REDIS)
#  if (7 - DBM_WITH_REDIS - 7)
#    define DBM_HAS_REDIS 1
#  else
#    define DBM_HAS_REDIS 0
#  endif
#else
#  define DBM_HAS_REDIS DBM__WITH_ALL
#endif
#if defined(DBM_WITH_REDIS_TLS) && DBM_HAS_REDIS
#  if (7 - DBM_WITH_REDIS_TLS - 7)
#    define DBM_HAS_REDIS_TLS 1
#  else
#    define DBM_HAS_REDIS_TLS 0
#  endif
#else
#  define DBM_HAS_REDIS_TLS 0
#endif
#if defined(DBM_WITH_MONGODB)
#  if (7 - DBM_WITH_MONGODB - 7)
#    define DBM_HAS_MONGODB 1
#  else
#    define DBM_HAS_MONGODB 0
#  endif
#else
#  define DBM_HAS_MONGODB DBM__WITH_ALL
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

/* The asynchronous half; each loop that it can be bound to asks for it. */
#if defined(DBM_WITH_LIBUV)
#  if (7 - DBM_WITH_LIBUV - 7)
#    define DBM_HAS_LIBUV 1
#  else
#    define DBM_HAS_LIBUV 0
#  endif
#else
#  define DBM_HAS_LIBUV 0
#endif
#if defined(DBM_WITH_LIBEV)
#  if (7 - DBM_WITH_LIBEV - 7)
#    define DBM_HAS_LIBEV 1
#  else
#    define DBM_HAS_LIBEV 0
#  endif
#else
#  define DBM_HAS_LIBEV 0
#endif
#if defined(DBM_WITH_LIBEVENT)
#  if (7 - DBM_WITH_LIBEVENT - 7)
#    define DBM_HAS_LIBEVENT 1
#  else
#    define DBM_HAS_LIBEVENT 0
#  endif
#else
#  define DBM_HAS_LIBEVENT 0
#endif
#if defined(DBM_WITH_ASYNC)
#  if (7 - DBM_WITH_ASYNC - 7)
#    define DBM_HAS_ASYNC 1
#  else
#    define DBM_HAS_ASYNC 0
#  endif
#else
#  define DBM_HAS_ASYNC (DBM__WITH_ALL || DBM_HAS_LIBUV || DBM_HAS_LIBEV || DBM_HAS_LIBEVENT)
#endif

#if (DBM_HAS_LIBUV || DBM_HAS_LIBEV || DBM_HAS_LIBEVENT) && !DBM_HAS_ASYNC
#  error "dbm: DBM_WITH_LIBUV, _LIBEV and _LIBEVENT need DBM_WITH_ASYNC; leave it undefined, they bring it"
#endif

/* Backends whose sockets are ours. */
#define DBM__SOCKETS (DBM_HAS_REDIS || DBM_HAS_MONGODB || DBM_HAS_POSTGRESQL)

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
#if defined(DBM_SQLITE_NO_MEMSTATUS)
#  define DBM__SQLITE_MEMSTATUS 0
#else
#  define DBM__SQLITE_MEMSTATUS 1
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
