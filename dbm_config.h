/* dbm_config.h: every compile-time switch of dbm.h, in one place.
 *
 * It is optional: dbm.h works without it, and as shipped it changes nothing. Keep it beside dbm.h, or anywhere on the include
 * path (a copy found through -I wins over the one beside dbm.h), and remove the comment marks around the lines that you want.
 * The same macros may be given by -D instead; a macro that is defined twice with different values is an error of the compiler.
 *
 * "Where" says which files of a program must see a switch:
 *   implementation   only the one file that defines DBM_IMPLEMENTATION
 *   every file       all files that include dbm.h, with the same value
 * No switch changes a public struct, enum or prototype, except linkage (DBM_API, DBM_STATIC, DBM_PREFIX).
 * A DBM_WITH_ switch may be empty or 1 (on), or 0 (off). */
#ifndef DBM_CONFIG_H
#define DBM_CONFIG_H

/* ==== Backends and file formats ========================================================================================= */

/* DBM_WITH_SQLITE: the SQLite adapter: URLs such as sqlite:///app.db. Also spelt DBM_WITH_SQLITE3.
 * Values    off (default); empty or 1: on; 0: off, even with DBM_WITH_ALL.
 * Where     implementation.
 * Requires  sqlite3.h (SQLite 3.24 or newer) to compile, -lsqlite3 to link (Debian: libsqlite3-dev); or a header made by
 *           `amalgamate.py --bundle sqlite3.c`.
 * Costs     about 25 KiB of code (gcc -Os, x86-64), and SQLite itself. */
/* #define DBM_WITH_SQLITE */

/* DBM_WITH_POSTGRESQL: the PostgreSQL adapter: URLs such as postgresql://user@host/db. Also spelt DBM_WITH_POSTGRES, DBM_WITH_PG.
 * Values    off (default); empty or 1: on; 0: off, even with DBM_WITH_ALL.
 * Where     implementation.
 * Requires  libpq-fe.h (libpq 12 or newer; its pipelines from 14 on) to compile, -lpq to link (Debian: libpq-dev;
 *           `pkg-config --cflags libpq` says where the header is).
 * Costs     about 55 KiB of code (gcc -Os, x86-64), and libpq. */
/* #define DBM_WITH_POSTGRESQL */

/* DBM_WITH_MYSQL: the MySQL and MariaDB adapter: URLs such as mysql://user@host/db. Also spelt DBM_WITH_MARIADB.
 * Values    off (default); empty or 1: on; 0: off, even with DBM_WITH_ALL.
 * Where     implementation.
 * Requires  mysql.h of MariaDB Connector/C 3 or of MySQL's client 8 to compile, -lmariadb or -lmysqlclient to link (Debian:
 *           libmariadb-dev; `pkg-config --cflags libmariadb` says where the header is).
 * Costs     about 38 KiB of code (gcc -Os, x86-64), and the client library. */
/* #define DBM_WITH_MYSQL */

/* DBM_WITH_REDIS: the Redis adapter: URLs such as redis://host:6379/0. Also spelt DBM_WITH_HIREDIS.
 * Values    off (default); empty or 1: on; 0: off, even with DBM_WITH_ALL.
 * Where     implementation.
 * Requires  hiredis/hiredis.h (hiredis 0.14 or newer) to compile, -lhiredis to link (Debian: libhiredis-dev).
 * Costs     about 36 KiB of code (gcc -Os, x86-64), and hiredis. */
/* #define DBM_WITH_REDIS */

/* DBM_WITH_REDIS_TLS: TLS for Redis: rediss:// and tls = require and better. Nothing without DBM_WITH_REDIS, and not part of DBM_WITH_ALL.
 * Values    off (default); defined or 1: on; 0: off.
 * Where     implementation.
 * Requires  hiredis 1.0 or newer built with TLS (hiredis/hiredis_ssl.h; Debian 12 has 0.14), openssl/ssl.h, and -lhiredis_ssl -lssl -lcrypto.
 * Costs     about 2 KiB of code (gcc -Os, x86-64), and OpenSSL. */
/* #define DBM_WITH_REDIS_TLS */

/* DBM_WITH_MONGODB: the MongoDB adapter: URLs such as mongodb://host/db. Also spelt DBM_WITH_MONGO.
 * Values    off (default); empty or 1: on; 0: off, even with DBM_WITH_ALL.
 * Where     implementation.
 * Requires  mongoc/mongoc.h (libmongoc 1.17 or newer, or 2) to compile, -lmongoc-1.0 -lbson-1.0 or -lmongoc2 -lbson2 to link
 *           (Debian: libmongoc-dev; `pkg-config --cflags libmongoc-1.0` says where the headers are).
 * Costs     about 42 KiB of code (gcc -Os, x86-64), and libmongoc, which runs threads of its own. */
/* #define DBM_WITH_MONGODB */

/* DBM_WITH_ASYNC: loops, tasks, and sessions that are awaited: dbm_loop_create(), dbm_spawn(), dbm_async_...(). Its declarations are always there.
 * Values    off (default); empty or 1: on; 0: off, even with DBM_WITH_ALL.
 * Where     implementation.
 * Requires  nothing more: epoll on Linux, else poll(); on Windows -lws2_32. Without threads what blocks runs on the loop's own thread.
 * Costs     about 62 KiB of code (gcc -Os, x86-64). */
/* #define DBM_WITH_ASYNC */

/* DBM_WITH_LIBUV: a dbm_loop inside of a libuv loop; brings DBM_WITH_ASYNC. Not part of DBM_WITH_ALL.
 * Values    off (default); empty or 1: on; 0: off.
 * Where     implementation.
 * Requires  uv.h (libuv 1.x) to compile, -luv to link (Debian: libuv1-dev).
 * Costs     about 2 KiB of code (gcc -Os, x86-64), and libuv. */
/* #define DBM_WITH_LIBUV */

/* DBM_WITH_LIBEV: a dbm_loop inside of a libev loop; brings DBM_WITH_ASYNC. Not part of DBM_WITH_ALL.
 * Values    off (default); empty or 1: on; 0: off.
 * Where     implementation.
 * Requires  ev.h (libev 4) to compile, -lev to link (Debian: libev-dev).
 * Costs     about 1 KiB of code (gcc -Os, x86-64), and libev. */
/* #define DBM_WITH_LIBEV */

/* DBM_WITH_LIBEVENT: a dbm_loop inside of a libevent base; brings DBM_WITH_ASYNC. Not part of DBM_WITH_ALL.
 * Values    off (default); empty or 1: on; 0: off.
 * Where     implementation.
 * Requires  event2/event.h (libevent 2) to compile, -levent_core to link (Debian: libevent-dev).
 * Costs     about 1 KiB of code (gcc -Os, x86-64), and libevent. */
/* #define DBM_WITH_LIBEVENT */

/* DBM_WITH_INI: dbm_load(), dbm_load_text() and dbm_manager_load(): databases from INI files. Also spelt DBM_WITH_INIH.
 * Values    off (default); empty or 1: on; 0: off, even with DBM_WITH_ALL.
 * Where     implementation.
 * Requires  ini.h (inih) to compile, -linih to link (Debian: libinih-dev); or a header made by `amalgamate.py --bundle ini.c`.
 * Costs     about 14 KiB of code (gcc -Os, x86-64), and inih. Without it databases are added by dbm_add_database(). */
/* #define DBM_WITH_INI */

/* DBM_WITH_ALL: everything above that is not switched off by name.
 * Values    off (default); empty or 1: on.
 * Where     implementation.
 * Requires  what each of them requires.
 * Costs     what each of them costs. */
/* #define DBM_WITH_ALL */

/* ==== Left out, for devices and special builds ========================================================================== */

/* DBM_NO_THREADS: no locks, no atomics, no thread-local storage: the program calls dbm.h from one thread.
 * Values    off (default where the system has threads); empty or 1: on; 0: off. On by itself with tcc and where there is no
 *           operating system.
 * Where     implementation.
 * Requires  nothing; without it, -lpthread where the C library does not hold it.
 * Costs     saves about 8 KiB of code (gcc -Os, x86-64); a checkout from an exhausted pool is DBM_E_WOULD_DEADLOCK at once, since nobody could give back. */
/* #define DBM_NO_THREADS */

/* DBM_NO_STDIO: no stdio.h: no files are read and nothing is written to stderr.
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  nothing.
 * Costs     saves code; dbm_load() can't read files (dbm_load_text() works), and the log goes to your hook or nowhere. */
/* #define DBM_NO_STDIO */

/* DBM_NO_ENV: the environment is not read.
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  nothing.
 * Costs     saves little code; ${NAME} in a configuration needs a default, and DBM__DATABASES__... overrides nothing. */
/* #define DBM_NO_ENV */

/* DBM_NO_FLOAT: no floating-point arithmetic in the implementation; prototypes stay.
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  nothing.
 * Costs     saves about 5 KiB of code (gcc -Os, x86-64), and the soft-float library on small processors; values of type double can't be bound or read as double. */
/* #define DBM_NO_FLOAT */

/* DBM_NO_LOG_TEXT: events keep their numbers and lose their texts.
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  nothing.
 * Costs     saves the texts in flash; hooks get "" as text. Errors keep their messages. */
/* #define DBM_NO_LOG_TEXT */

/* DBM_SQLITE_NO_MEMSTATUS: SQLite keeps no statistics of its memory (SQLITE_CONFIG_MEMSTATUS off).
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  that dbm.h opens SQLite before anything else in the process uses it, and no other thread does meanwhile: the setting is the whole
 *           process's, and SQLite takes it before its first use alone. Else the statistics stay on, and the log says so.
 * Costs     sqlite3_memory_used(), sqlite3_status() and sqlite3_soft_heap_limit64() stop working, for all users of this SQLite; saves a lock at
 *           each of its allocations. A SQLite that was built with SQLITE_DEFAULT_MEMSTATUS=0 has it off already. */
/* #define DBM_SQLITE_NO_MEMSTATUS */

/* DBM_NO_ATOMICS: a lock stands in for atomic instructions.
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  nothing.
 * Costs     a lock at every checkout and return. For processors and compilers without atomics, when there are threads. */
/* #define DBM_NO_ATOMICS */

/* DBM_NO_MEMBARRIER: on Linux, the membarrier system call is not used.
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  nothing. For programs that forbid themselves system calls on pain of death (seccomp) and don't know this one; where it is only refused,
 *           dbm.h notices by itself.
 * Costs     one more atomic instruction at every return of a connection. */
/* #define DBM_NO_MEMBARRIER */

/* DBM_NO_CLEANUP: the block macros do not use __attribute__((cleanup)).
 * Values    off (default where the compiler has it), or defined: on.
 * Where     every file that uses the blocks.
 * Requires  DBM_RETURN and DBM_GOTO to leave a block; a plain return would keep the connection out.
 * Costs     no DBM_AUTO_SESSION. */
/* #define DBM_NO_CLEANUP */

/* DBM_NO_GENERIC: the calls do not use _Generic, as with compilers that have none.
 * Values    off (default), or defined: on.
 * Where     every file that uses the calls.
 * Requires  values by constructors, such as dbm_int(1) and dbm_text("x"), and DBM_ON(db) for calls on a database.
 * Costs     nothing. */
/* #define DBM_NO_GENERIC */

/* ==== Where this file is found ========================================================================================== */

/* DBM_NO_CONFIG: no dbm_config.h is looked for, whatever lies beside dbm.h.
 * Values    off (default), or defined: on.
 * Where     every file, by -D or before the include; here it comes too late.
 * Requires  nothing.
 * Costs     nothing. */
/* #define DBM_NO_CONFIG */

/* DBM_CONFIG_FILE: another file takes the place of this one.
 * Values    a name with its quotes or angle brackets, such as "my_dbm_config.h" (default: <dbm_config.h>, then "dbm_config.h").
 * Where     every file, by -D or before the include; here it comes too late.
 * Requires  nothing; where the compiler has no __has_include, it is the only way to have such a file.
 * Costs     nothing. */
/* #define DBM_CONFIG_FILE "my_dbm_config.h" */

/* ==== The program's own memory, clock and assertions ==================================================================== */

/* DBM_MALLOC, DBM_REALLOC, DBM_FREE: the default allocator of managers that are made without one of their own.
 * Values    names that are called as malloc(size), realloc(block, size) and free(block) (default: those three).
 * Where     implementation.
 * Requires  all three, or none; their prototypes must be in sight.
 * Costs     nothing. */
/* #define DBM_MALLOC(size) my_malloc(size) */
/* #define DBM_REALLOC(block, size) my_realloc(block, size) */
/* #define DBM_FREE(block) my_free(block) */

/* DBM_CLOCK_US: the default clock of managers that are made without one of their own.
 * Values    an expression: monotonic microseconds, an int64_t (default: the system's monotonic clock).
 * Where     implementation.
 * Requires  its prototype in sight. Where there is no system clock, this one or dbm_options.clock.
 * Costs     what the expression costs, at most a few times per session. */
/* #define DBM_CLOCK_US() my_clock_us() */

/* DBM_ASSERT: checks of dbm.h on itself; mistakes of the program are statuses, never assertions.
 * Values    a macro of one condition, such as assert (default: nothing is checked).
 * Where     implementation.
 * Requires  what the macro needs, such as assert.h.
 * Costs     one branch each. */
/* #define DBM_ASSERT(condition) assert(condition) */

/* ==== Linkage =========================================================================================================== */

/* DBM_API: what stands before every public function.
 * Values    storage class or attributes, such as __declspec(dllexport) (default: extern).
 * Where     every file.
 * Requires  nothing.
 * Costs     nothing. */
/* #define DBM_API __attribute__((visibility("default"))) */

/* DBM_STATIC: a private copy: every function is static.
 * Values    off (default), or defined: on.
 * Where     a file that also defines DBM_IMPLEMENTATION, by a #define before the include; another file can't share that copy.
 * Requires  nothing.
 * Costs     one copy of the code per file that does so; what the file does not use is dropped by the compiler. */
/* #define DBM_STATIC */

/* DBM_PREFIX: another prefix for every exported symbol, so that two copies can be linked into one program.
 * Values    the beginning of an identifier: with my_, dbm_commit is my_dbm_commit for the linker (default: none). The names in
 *           the source stay as they are.
 * Where     every file.
 * Requires  nothing.
 * Costs     nothing. */
/* #define DBM_PREFIX my_ */

#endif /* DBM_CONFIG_H */
