/* dbm.h 0.2.0: one C header that manages all of a program's databases. MIT licence or public domain, at your choice (at the end).
 *
 * GENERATED from src/ by amalgamate.py, content @DBM_CONTENT_HASH@: edit src/, not this file. There the code of
 * the implementation stands with blank lines and rulers, its braces on lines of their own and a head in each file; a banner above each part names it.
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
 *     in this comment      STEP BY STEP, OPTIONS, CONFIGURATION, URLS, LEAVING A SESSION, POOLS AND THREADS, ASYNC, ERRORS, MEMORY,
 *                          WRITING AN ADAPTER, EMBEDDED
 *     >>status >>error     every status; what is told about a failure
 *     >>values             types of values                          >>making-values  values with a type of their own
 *     >>config             databases, pools and managers in code    >>events         what happens, by number
 *     >>manager            load, add, open, close, look             >>errors         the last failure, names of statuses
 *     >>session            what a session is                        >>blocks         DBM_SESSION and the other blocks
 *     >>by-hand            begin and end without a block            >>statements     run SQL
 *     >>prepared           statements kept by a handle              >>rows           read rows
 *     >>bulk               many rows at once                        >>models         structs and tables
 *     >>redis              commands, transactions of Redis          >>adapter        a backend of your own
 *     >>mongo              MongoDB's calls                          >>documents      a document is a row
 *     >>loop               what drives the asynchronous half        >>tasks          straight-line code that awaits
 *     >>awaitable          children, sleeps, blocking calls         >>async-sessions sessions that are awaited
 *     >>async-callbacks    the same with callbacks                  >>listeners      what others publish
 *
 *
 * dbm.h DOES NOT
 *
 *     - write SQL for you: models cover one table and its key, all else is the SQL of your database
 *     - migrate schemas: a table that exists is never altered
 *     - start threads, install signal handlers, or touch the locale, unless asked: for one upkeep thread, for a loop, whose workers
 *       run what blocks (MongoDB's driver has threads of its own)
 *     - hide which database it is: SQL, types and locking are the backend's own; differences are told, not papered over
 *     - know every backend: SQLite, PostgreSQL, MySQL and MariaDB, Redis and MongoDB are built in, others come by dbm_register()
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
 *     DBM_WITH_REDIS_TLS   implementation   rediss://, with hiredis 1.0 or newer: -lhiredis_ssl -lssl -lcrypto
 *     DBM_WITH_ASYNC       implementation   loops, tasks and sessions that are awaited
 *     DBM_WITH_LIBUV       implementation   the same inside of a libuv loop: -luv
 *     DBM_WITH_LIBEV       implementation   of a libev loop: -lev
 *     DBM_WITH_LIBEVENT    implementation   of a libevent base: -levent_core
 *     DBM_WITH_MONGODB     implementation   MongoDB: mongoc/mongoc.h 1.17 or newer (Debian libmongoc-dev), -lmongoc-1.0 -lbson-1.0
 *     DBM_WITH_INI         implementation   INI files: ini.h (Debian libinih-dev), -linih
 *     DBM_WITH_ALL         implementation   all of these that are not 0 by name
 *     DBM_NO_THREADS       implementation   no locks, atomics, thread-locals: one thread calls (by itself with tcc and without a system)
 *     DBM_NO_STDIO         implementation   no stdio.h: no files, no log to stderr
 *     DBM_NO_ENV           implementation   the environment is not read
 *     DBM_NO_FLOAT         implementation   no floating-point arithmetic: doubles can't be bound or read
 *     DBM_NO_LOG_TEXT      implementation   events keep their numbers and lose their texts
 *     DBM_SQLITE_NO_MEMSTATUS implementation  SQLite keeps no statistics of its memory, in the whole program: lookups are a tenth faster
 *     DBM_NO_ATOMICS       implementation   a lock instead of atomic instructions
 *     DBM_NO_MEMBARRIER    implementation   on Linux, without the membarrier system call: one more atomic instruction at each return
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
 *     type                  -              the adapter, or sqlasync (see dbm_database_async()); may be left out, the URL's scheme says it
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
 *     unix_socket           -              MySQL: the path of a local socket, in the place of a host
 *     sql_mode              -              MySQL: of every session (default: the server's, without ANSI_QUOTES and NO_BACKSLASH_ESCAPES)
 *     db                    0              Redis: the number of the database, in the place of the URL's path
 *     client_name           -              Redis: the name of each connection in CLIENT LIST
 *     database              -              MongoDB: the database, where it is not the URL's path
 *     driver_log            off            MongoDB: off silences libmongoc; keep leaves its log handler as the program set it
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
 *     postgresql://user:password@db1,db2:5433/shop?target_session_attrs=read-write
 *                                         host list, IPv6 in [ ], parameters and connect_args.x as libpq knows them
 *     postgresql://user@/shop?host=/run/postgresql   a socket file's directory
 *     redis://:password@host:6379/2       Redis, database 2; redis://user:password@a,b:6380 tries a, then b
 *     rediss://host                       by TLS, the certificate and its name verified unless tls says less (DBM_WITH_REDIS_TLS)
 *     unix:///run/redis.sock?db=1         by a local socket
 *     mongodb://user:password@a,b/app?replicaSet=rs0    MongoDB: the database is the path, or the key `database` where the path is the user's;
 *     mongodb+srv://cluster.example.com/app             parameters and connect_args: libmongoc's, by its names (readPreference, w, ...)
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
 * MongoDB: sessions have a transaction only with .transaction = 1 (a replica set is needed, and there are no savepoints); else each call stands
 * alone. The driver watches the servers from threads of its own and calls abort() without memory. Its connections to them go over streams of ours: half a
 * second after a deadline that the server (maxTimeMS) has not kept, and at once by dbm_cancel, a call ends and its connection is closed. libmongoc 2.x takes
 * no such streams: there a deadline is the socket's time-out, and nothing ends a wait from outside, so a cancel stops what comes next. A server that can't be found is looked for until serverSelectionTimeoutMS, or the deadline. A bulk goes in batches of 10,000
 * documents or 2 MiB.
 * tls = prefer is refused, tls_cert holds certificate and key. A certificate that is not accepted is E_TLS at once; a server that does not answer
 * a handshake is waited for until connect_timeout. A transaction may be E_SERIALIZATION at any of its calls: DBM_RETRY_OPT.
 *
 * SQLite: writers of one file take turns in a queue, in all databases of the manager; a session whose first statement writes, or which has
 * .write, waits for its turn. One that has read first does not wait: if another one wrote since, it is E_SERIALIZATION, and DBM_RETRY runs it
 * again.
 *
 * PostgreSQL: BEGIN and savepoints ride with the next statement, a statement that is repeated is prepared on the server, rows come through a
 * cursor or singly. Sessions have TimeZone UTC (unless connect_args.options names one), DateStyle ISO and UTF8. numeric is DBM_TYPE_DECIMAL, json and
 * jsonb DBM_TYPE_JSON, timestamp and timestamptz DBM_TYPE_TIMESTAMP; `infinity`, dates, times, intervals, arrays ({1,2}), enums and all else are texts.
 * Behind a pooler of transactions (PgBouncer) set statement_cache = 0; the server then enforces no statement_timeout of ours. require with a tls_ca
 * checks the authority, as libpq has it. Ours is libpq 14's pipeline, which dbm_send goes through; with 12 and 13 it runs at once, and BEGIN is a round
 * trip before a statement that the server does not have yet. Those that it has go past libpq, in messages of our own, without TLS and GSSAPI; what libpq keeps of a
 * session's settings (PQparameterStatus) may then be older than they are. They are made again when a DROP, ALTER, DO, CALL or script has run on the same
 * database here, or on this connection a SET, RESET, CREATE or search_path; when somebody else made a table anew with other types, once a value does not fit. A
 * cancel goes in clear before libpq 17, as PQcancel's does.
 * A bulk is COPY in binary, for which texts that are times must be of ISO 8601; one column that is no number, bool, text, bytea, json, uuid, date or
 * time (an array, enum, interval ...) makes it COPY of texts, as exact and slower. Tables with row-level security take INSERTs alone: .each_row = 1.
 * statement_timeout counts for the whole of a bulk. COPY (...) TO STDOUT is a query of one column `data`, a blob for each line.
 *
 * MySQL, MariaDB: autocommit is off, so a session begins without a round trip; with an isolation level or .read_only it takes one. What commits by
 * itself (CREATE, ALTER, TRUNCATE) after a write is E_IMPLICIT_COMMIT. Sessions have time_zone +00:00 and utf8mb4; DECIMAL is DBM_TYPE_DECIMAL, DATETIME and
 * TIMESTAMP DBM_TYPE_TIMESTAMP, TINYINT(1) DBM_TYPE_BOOL while it is 0 or 1, unsigned numbers above INT64_MAX and BIT DBM_TYPE_UINT; dates, times and zero
 * dates are texts. A cancel is KILL QUERY by another connection. A reset runs init_sql again. What blocks a loop inside a step, measured with answers
 * held back for 200 ms: without TLS nothing but the look-up of a host's name (the longest step 0.7 ms, the goodbye 0.1 ms, also of a server that is silent);
 * over TLS the handshake, of a connect 570 to 750 ms (three or four answers; connect_timeout at most), and of such a KILL QUERY 500 to 860 ms (450 ms a read).
 * With Oracle's client (8.0.16 or newer; tested with 9.5 against MariaDB) the calls block. The server keeps the deadline: it is told before a statement,
 * by max_statement_time or max_execution_time, a round trip when it changes (MySQL's own server obeys it for SELECT alone). A silent server is noticed
 * after socket_timeout in whole seconds, without that a second after statement_timeout, without both not at all; connect_timeout is in whole seconds
 * and ends with the greeting. verify-ca and verify-full need tls_ca; json and uuid of a MariaDB server are texts. On a loop its calls go to workers:
 * only texts can be sent without blocking (mysql_real_query_nonblocking), and as texts values come back as others: a FLOAT has six digits (of 20,000 at random 19,376 were not what was
 * written), what is made of an int or a bool is INT, not BIGINT or TINYINT, of a blob VARBINARY. Nor does that library say whether it waits to read or to write.
 *
 * After fork() the child's sessions are E_FORKED, and its next checkout opens its own connection.
 *
 *
 * ASYNC
 *
 * With DBM_WITH_ASYNC. A loop belongs to the thread that runs it; a task is a function of that thread that waits without holding it, and which is called
 * again where it waited: what must live across an await stands in the struct it was given.
 *
 *     struct transfer { dbm_session s; int from, to, n; };
 *     static dbm_task_status move_money(dbm_task *t) {
 *         struct transfer *x = dbm_task_data(t);
 *         DBM_TASK_BEGIN(t);
 *         DBM_AWAIT(t, dbm_async_session(t, "default", &x->s));
 *         DBM_AWAIT(t, dbm_async_exec(&x->s, "UPDATE account SET n = n - ? WHERE id = ?", x->n, x->from));
 *         DBM_AWAIT(t, dbm_async_exec(&x->s, "UPDATE account SET n = n + ? WHERE id = ?", x->n, x->to));
 *         DBM_TASK_END(t);        (commits; after a failure above rolls back; either way gives back)
 *     }
 *     dbm_loop_create(&loop, mgr, NULL);
 *     dbm_spawn(loop, move_money, &x);
 *     dbm_loop_run(loop, -1);
 *     dbm_loop_free(loop);
 *
 * dbm_async_query_one(db, &row, ...) and its like on a database need no session: each stands alone, and many share a connection. What became ready in one turn of the loop
 * goes to PostgreSQL and Redis in one send: >>async-sessions.
 *
 * The end of a task is to its sessions what the end of a block is, after everything else it began has ended: nothing outlives its task. Sync and async
 * sessions of a database share its pool, and wait in one queue. dbm_task_cancel(), a deadline and dbm_loop_free() end each task exactly once,
 * with a status; DBM_TASK_FINALLY begins what runs however that went. dbm_listen() hears what others publish (PostgreSQL's NOTIFY, Redis'
 * PUBLISH), on a connection of its own that is made again when it breaks: >>listeners. Only dbm_loop_post(), dbm_loop_stop(), dbm_task_cancel() and dbm_cancel() may
 * come from other threads.
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
 *     18  DBM_E_CANCELLED        cancelled by dbm_cancel, or with its call or task
 *     19  DBM_E_CLOSED           the database was closed by dbm_close_all or dbm_manager_free, or the loop by dbm_loop_free
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
