/* Asynchronous calls of sessions: what a task awaits, and the callbacks underneath.
 * May call: types.h, map.h, session.h, loop.h, task.h.
 * Must not know: how anything is done. */

/* >>async-sessions
 * The calls of a session for a task, each awaited: DBM_AWAIT(t, dbm_async_exec(&x->s, "UPDATE ...", n)). The loop waits for none of them, but at a
 * session's commit or end, and at the begin of a bulk, for what dbm_send() has sent; and for a driver's goodbye to its server.
 *   dbm_async_session(t, name, &s)                 as dbm_session_begin(); waits in the pool's queue among the threads that wait there
 *   dbm_async_session_on(t, db, &s)                the same by handle
 *   dbm_async_session_opt(t, name, &s, .read_only = 1), dbm_async_session_on_opt(t, db, &s, ...)   any of dbm_session_options
 *   dbm_async_exec(&s, sql, ...), dbm_async_query(&s, &rows, sql, ...), dbm_async_query_one(&s, &row, sql, ...)   as dbm_exec() and so on
 *   dbm_async_execv(&s, sql, values, n), dbm_async_queryv, dbm_async_query_onev
 *   DBM_AWAIT_ROW(t, rows, row) { ... }            a loop over the rows; `row` and `rows` are fields of the task's struct. The next rows are asked for when
 *                                                  they are wanted. It may hold awaits, break and continue
 *   dbm_async_next(rows, &row)                     one row; NULL after the last
 *   dbm_async_rows_end(rows)                       drops the rest; rows that were read to the end (they are gone 64 queries later, on a database 4), or whose session ends, need none
 *   dbm_async_redis_command(&s, &row, format, ...) as dbm_redis_query_one(); &row may be NULL, and is NULL where the reply has no rows
 *   dbm_async_redis_commandv(&s, &row, values, n)  the words as they are
 *   dbm_async_commit(&s), dbm_async_rollback(&s)   as dbm_commit(), dbm_rollback(): what follows is a new transaction
 *   dbm_async_end(&s)                              ends the session before its task does: by a commit, or, when a call of it failed, rolled back. The value is emptied
 *   dbm_async_bulk_begin(&s, &b, "table", "a,b"), dbm_async_bulk_begin_opt(&s, &b, "table", "a,b", .each_row = 1, ...)   as dbm_bulk_begin() on a session
 *   dbm_async_bulk_row(b, ...), dbm_async_bulk_rowv(b, values, n)   takes the row in the call; the await waits only where what was gathered must be sent. Await
 *                                                  them: nothing else bounds the rows that wait
 *   dbm_async_bulk_columns(b, columns, n, rows)    the arrays must stay until it was awaited. Where calls run on workers each row is a call, so there it is faster
 *   dbm_async_bulk_end(b), dbm_async_bulk_abandon(b)
 *   dbm_async_run(&s, fn, ud)                      fn(&s, ud) on a worker thread, for what there is no other form of: models, scripts, dbm_mongo_...(). In
 *                                                  there calls wait as they always do; its status, when it is a failure, is that of the await
 * A session is a dbm_session as any other: dbm_row_...(), dbm_scan(), dbm_affected(), dbm_last_id(), dbm_status_of() and dbm_cancel() work on it, and it promises what the
 * table of sessions says, the end of the task being the end of the block. Errors stick, so that awaiting may be left out: calls of one session run one after the
 * other in the order they were made, and none is sent after one that failed.
 * Calls on a database: dbm_async_exec(db, sql, ...), dbm_async_query, _query_one, dbm_async_redis_command and their forms with v and _cb take a dbm_database * in
 * the place of &s, where a loop runs (in a task, a callback, dbm_loop_post()); elsewhere dbm_async_on(loop, db), which lives as long as the loop. Each is a session in
 * autocommit of its own: no order among them, and no failure of one is another's. Many share a connection, which is out of the pool while calls wait or are under way.
 * One that waits for a connection for longer than pool_timeout fails as a session would. Answers that come one by one over several connections may be told together, each
 * within a millisecond. What one connection carries is overtaken only so often by what others do: new calls wait for it, but no longer than that.
 * The row of dbm_async_query_one() lives until fn returns or the task waits again, and holds up no other call (one of more than 32 columns may). Rows of
 * dbm_async_query() hold a connection until they are at their end, or dbm_async_rows_end(), or the end of the task.
 * A cancelled call ends at once: E_CANCELLED, not done or only read; E_IN_DOUBT, a write that had been sent. So is a write whose connection broke; what reads is sent once
 * more (a SELECT whose function writes, too). PostgreSQL is told to stop a cancelled one when it has its turn, so that those behind it need not wait; what is stopped in its
 * place, when that comes late, is undone and sent once more. (On a session, in autocommit, the call behind a cancelled one may be stopped so, and is E_CANCELLED.) What waits at
 * the server (BLPOP), changes the connection (SET) or is neither query nor INSERT, UPDATE, DELETE (on PostgreSQL: CALL, CREATE) goes alone.
 * Where the adapter can (PostgreSQL with libpq 14, Redis), what became ready in one turn of the loop, on a session or a database, leaves in one send. On a session
 * each such row of dbm_async_query_one() lives until the first call that is made after it was told, and dbm_affected() is that of the call that is told; in a transaction those behind
 * a failure fail as it does; in autocommit they may have been sent, and each has its own outcome.
 * Calls that wait (dbm_exec() and its like) work on a session, and block the loop; while an asynchronous one is under way they are E_MISUSE, and dbm_session_end() always.
 * Where the adapter has no start and step (SQLite, MongoDB, MySQL with Oracle's client, which sends only texts without blocking, and those give other values), the calls of a
 * session run on a worker thread of the loop, one at a time. MariaDB's client blocks the loop in TLS handshakes, connect_timeout at most (measured: MySQL in the manual).
 * Ownership texts, values and SQL are copied. `s`, `rows` and `row` stand in the task's struct; they are written before the await returns, and NULL when it fails. What
 *           dbm_async_query_one() found lives until the next call on the session.
 * Errors    as those of the calls without async; E_CANCELLED: the task was cancelled, and the session with it; E_CLOSED: so was the loop. NULL, whose await
 *           fails: the session has ended, or was not begun by one of these calls (E_MISUSE), or E_NOMEM.
 * Threads   the loop's; dbm_cancel() any.
 * Source    the order of one session's calls, and the pool, as in SQLAlchemy's AsyncSession. */

/* >>async-callbacks
 * The same for programs that are made of callbacks: fn(ud, status) is called exactly once, by the loop, never in the call itself; a failure is then the thread's
 * last one. In there anything may be begun, ended and freed, the loop too. They return DBM_OK, or why nothing was begun: then fn is not called.
 *   dbm_async_session_cb(loop, db, &options, &s, fn, ud)   options may be NULL; s must live until fn is called
 *   dbm_async_exec_cb(&s, fn, ud, sql, ...), dbm_async_query_one_cb(&s, &row, fn, ud, sql, ...)
 *   dbm_async_query_cb(&s, &rows, fn, ud, sql, ...), then dbm_async_next_cb(rows, &row, fn, ud) for each row: the next ones are not asked for before
 *   dbm_async_redis_command_cb(&s, &row, fn, ud, format, ...)
 *   dbm_async_bulk_cb(&s, "table", "a,b", &options, row, fn, ud)   a whole bulk: the loop calls row(ud, values) when there is room for a row, to fill in a value a column
 *     (which are NULL) and return DBM_OK; or DBM_DONE: there are no more; or a failure, which drops the bulk and is that of fn. options may be NULL
 *   dbm_async_run_cb(&s, run, run_ud, fn, ud)
 *   dbm_async_rows_end_cb(rows, fn, ud), dbm_async_commit_cb(&s, fn, ud), dbm_async_rollback_cb(&s, fn, ud), dbm_async_end_cb(&s, fn, ud)
 * fn may be NULL. A session begun so must be ended by dbm_async_end_cb(); dbm_loop_free() rolls it back. They may be used on a session of a task as well. */
typedef enum dbm__async_kind {
    DBM__ASYNC_SIGNED = -1,
    DBM__ASYNC_FAIL = 0, DBM__ASYNC_BEGIN, DBM__ASYNC_EXEC, DBM__ASYNC_QUERY, DBM__ASYNC_ONE, DBM__ASYNC_COMMAND, DBM__ASYNC_RUN, DBM__ASYNC_BULK_BEGIN,
    DBM__ASYNC_BULK_ROWS, DBM__ASYNC_BULK_END, DBM__ASYNC_BULK_ABANDON, DBM__ASYNC_NEXT, DBM__ASYNC_ROWS_END, DBM__ASYNC_COMMIT, DBM__ASYNC_ROLLBACK, DBM__ASYNC_END
} dbm__async_kind;
typedef struct dbm_shared dbm_shared; /* a database, for calls from one loop */
#define DBM__ON_LOOP 0xDBDBDBDCu /* step of a session value that stands for one */
typedef void (*dbm_async_fn)(void *ud, dbm_status status);
typedef dbm_status (*dbm_async_run_fn)(dbm_session *s, void *ud);
typedef dbm_status (*dbm_async_row_fn)(void *ud, dbm_value *values);
typedef struct dbm__async_to { dbm__async_kind kind; bool told; void *out; dbm_async_fn fn; void *ud; } dbm__async_to;

#ifdef __cplusplus
extern "C" {
#endif
DBM_API dbm_act *dbm__async_session(dbm_task *t, const char *name, const dbm_session_options *options, dbm_session *out, const char *site);
DBM_API dbm_act *dbm__async_session_on(dbm_task *t, dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site);
DBM_API dbm_status dbm__async_session_cb(dbm_loop *loop, dbm_database *db, const dbm_session_options *options, dbm_session *out, dbm_async_fn fn, void *ud, const char *site);
/* Stands for calls on db from this loop, in the place of a session. NULL: E_CLOSED, E_NOMEM, or db can't be used. The loop's thread; it is the loop's, nothing to be freed. */
DBM_API dbm_shared *dbm__async_share(dbm_loop *loop, dbm_database *db, const char *site);
DBM_API dbm_act *dbm__async_statement(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_act *dbm__async_statementv(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_act *dbm__async_step(dbm_session *s, dbm__async_to to, const char *site);
DBM_API dbm_act *dbm__async_run(dbm_session *s, dbm__async_to to, dbm_async_run_fn run, void *ud, const char *site);
DBM_API dbm_act *dbm__async_rows(dbm_rows *rows, dbm__async_to to, const char *site);
DBM_API dbm_act *dbm__async_bulk_begin(dbm_session *s, dbm__async_to to, const char *table, const char *columns, const dbm_bulk_options *options, const char *site);
DBM_API dbm_act *dbm__async_bulk_row(const char *site, dbm_bulk *bulk, const char *codes, ...);
DBM_API dbm_act *dbm__async_bulk(dbm_bulk *bulk, dbm__async_to to, const dbm_value *values, int count, const dbm_column *columns, size_t rows, const char *site);
DBM_API dbm_status dbm__async_bulk_cb(dbm_session *s, const char *table, const char *columns, const dbm_bulk_options *options, dbm_async_row_fn row, dbm_async_fn fn, void *ud,
                                      const char *site);
DBM_API bool dbm__async_row(dbm_task *t, dbm_rows *rows, dbm_row **row);
#ifdef __cplusplus
}
template <class... V> inline dbm_act *dbm__async_statement_cpp(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__async_statementv(s, to, site, sql, a, static_cast<int>(sizeof...(V)));
}
#endif
static inline dbm__async_to dbm__async_how(dbm__async_kind kind, void *out, bool told, dbm_async_fn fn, void *ud) {
    dbm__async_to to;
    to.kind = kind; to.out = out; to.told = told; to.fn = fn; to.ud = ud;
    return to;
}
static inline dbm__async_to dbm__async_await(dbm__async_kind kind) { return dbm__async_how(kind, NULL, false, NULL, NULL); }
static inline dbm__async_to dbm__async_await_row(dbm__async_kind kind, dbm_row **row) { return dbm__async_how(kind, row, false, NULL, NULL); }
static inline dbm__async_to dbm__async_await_rows(dbm_rows **rows) { return dbm__async_how(DBM__ASYNC_QUERY, rows, false, NULL, NULL); }
static inline dbm__async_to dbm__async_tell(dbm__async_kind kind, dbm_async_fn fn, void *ud) { return dbm__async_how(kind, NULL, true, fn, ud); }
static inline dbm__async_to dbm__async_tell_row(dbm__async_kind kind, dbm_row **row, dbm_async_fn fn, void *ud) { return dbm__async_how(kind, row, true, fn, ud); }
static inline dbm__async_to dbm__async_tell_rows(dbm_rows **rows, dbm_async_fn fn, void *ud) { return dbm__async_how(DBM__ASYNC_QUERY, rows, true, fn, ud); }
static inline dbm__async_to dbm__async_await_bulk(dbm_bulk **bulk) { return dbm__async_how(DBM__ASYNC_BULK_BEGIN, bulk, false, NULL, NULL); }
#ifdef __cplusplus
template <class... V> inline dbm_act *dbm__async_bulk_row_cpp(const char *site, dbm_bulk *bulk, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__async_bulk(bulk, dbm__async_await(DBM__ASYNC_BULK_ROWS), a, static_cast<int>(sizeof...(V)), NULL, 0, site);
}
#endif
static inline dbm_status dbm__async_began(const dbm_act *act) { return act != NULL ? DBM_OK : dbm_last_error()->status; }

#define dbm_async_session(t, name, out) dbm__async_session(t, name, NULL, out, DBM__SITE)
#define dbm_async_session_on(t, db, out) dbm__async_session_on(t, db, NULL, out, DBM__SITE)
#define dbm_async_session_opt(t, name, out, ...) dbm__async_session(t, name, DBM__OPTIONS(dbm_session_options, __VA_ARGS__), out, DBM__SITE)
#define dbm_async_session_on_opt(t, db, out, ...) dbm__async_session_on(t, db, DBM__OPTIONS(dbm_session_options, __VA_ARGS__), out, DBM__SITE)
#define dbm_async_session_cb(loop, db, options, out, fn, ud) dbm__async_session_cb(loop, db, options, out, fn, ud, DBM__SITE)

#if defined(__cplusplus)
inline dbm_session *dbm__on_async(dbm_session *s) { return s; }
inline dbm__on_holder dbm__on_async(dbm_database *db) { return dbm__on(db); }
inline dbm__on_holder dbm__on_async(dbm_shared *on) { dbm__on_holder h; h.target.slot = on; h.target.gen = 0; h.target.step = DBM__ON_LOOP; return h; }
#  define DBM__ASYNC_ON(x) dbm__on_async(x)
#elif DBM__HAS_GENERIC
#  define DBM__ASYNC_ON(x) DBM__GENERIC(x, dbm_session *: (x), dbm_database *: &(dbm_session){ (void *)(x), 0, DBM__ON_DATABASE }, \
        dbm_shared *: &(dbm_session){ (void *)(x), 0, DBM__ON_LOOP })
#else
#  define DBM__ASYNC_ON(x) (x)
#endif
#define dbm_async_on(loop, db) dbm__async_share(loop, db, DBM__SITE)
#define DBM__ASYNC(s, to, ...) DBM__CALL(dbm__async_statement)(DBM__ASYNC_ON(s), to, DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_async_exec(s, ...) DBM__ASYNC(s, dbm__async_await(DBM__ASYNC_EXEC), __VA_ARGS__)
#define dbm_async_query(s, rows, ...) DBM__ASYNC(s, dbm__async_await_rows(rows), __VA_ARGS__)
#define dbm_async_query_one(s, row, ...) DBM__ASYNC(s, dbm__async_await_row(DBM__ASYNC_ONE, row), __VA_ARGS__)
#define dbm_async_redis_command(s, row, ...) DBM__ASYNC(s, dbm__async_await_row(DBM__ASYNC_COMMAND, row), __VA_ARGS__)
#define dbm_async_execv(s, sql, values, count) dbm__async_statementv(DBM__ASYNC_ON(s), dbm__async_await(DBM__ASYNC_EXEC), DBM__SITE, sql, values, count)
#define dbm_async_queryv(s, rows, sql, values, count) dbm__async_statementv(DBM__ASYNC_ON(s), dbm__async_await_rows(rows), DBM__SITE, sql, values, count)
#define dbm_async_query_onev(s, row, sql, values, count) dbm__async_statementv(DBM__ASYNC_ON(s), dbm__async_await_row(DBM__ASYNC_ONE, row), DBM__SITE, sql, values, count)
#define dbm_async_redis_commandv(s, row, values, count) dbm__async_statementv(DBM__ASYNC_ON(s), dbm__async_await_row(DBM__ASYNC_COMMAND, row), DBM__SITE, NULL, values, count)
#define dbm_async_next(rows, row) dbm__async_rows(rows, dbm__async_await_row(DBM__ASYNC_NEXT, row), DBM__SITE)
#define dbm_async_rows_end(rows) dbm__async_rows(rows, dbm__async_await(DBM__ASYNC_ROWS_END), DBM__SITE)
#define dbm_async_bulk_begin(s, out, table, columns) dbm__async_bulk_begin(s, dbm__async_await_bulk(out), table, columns, NULL, DBM__SITE)
#define dbm_async_bulk_begin_opt(s, out, table, columns, ...) \
    dbm__async_bulk_begin(s, dbm__async_await_bulk(out), table, columns, DBM__OPTIONS(dbm_bulk_options, __VA_ARGS__), DBM__SITE)
#define dbm_async_bulk_row(...) DBM__CALL(dbm__async_bulk_row)(DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_async_bulk_rowv(b, values, count) dbm__async_bulk(b, dbm__async_await(DBM__ASYNC_BULK_ROWS), values, count, NULL, 0, DBM__SITE)
#define dbm_async_bulk_columns(b, columns, count, rows) dbm__async_bulk(b, dbm__async_await(DBM__ASYNC_BULK_ROWS), NULL, count, columns, rows, DBM__SITE)
#define dbm_async_bulk_end(b) dbm__async_bulk(b, dbm__async_await(DBM__ASYNC_BULK_END), NULL, 0, NULL, 0, DBM__SITE)
#define dbm_async_bulk_abandon(b) dbm__async_bulk(b, dbm__async_await(DBM__ASYNC_BULK_ABANDON), NULL, 0, NULL, 0, DBM__SITE)
#define dbm_async_run(s, run, ud) dbm__async_run(s, dbm__async_await(DBM__ASYNC_RUN), run, ud, DBM__SITE)
#define dbm_async_commit(s) dbm__async_step(s, dbm__async_await(DBM__ASYNC_COMMIT), DBM__SITE)
#define dbm_async_rollback(s) dbm__async_step(s, dbm__async_await(DBM__ASYNC_ROLLBACK), DBM__SITE)
#define dbm_async_end(s) dbm__async_step(s, dbm__async_await(DBM__ASYNC_END), DBM__SITE)

#define dbm_async_exec_cb(s, fn, ud, ...) dbm__async_began(DBM__ASYNC(s, dbm__async_tell(DBM__ASYNC_EXEC, fn, ud), __VA_ARGS__))
#define dbm_async_query_cb(s, rows, fn, ud, ...) dbm__async_began(DBM__ASYNC(s, dbm__async_tell_rows(rows, fn, ud), __VA_ARGS__))
#define dbm_async_query_one_cb(s, row, fn, ud, ...) dbm__async_began(DBM__ASYNC(s, dbm__async_tell_row(DBM__ASYNC_ONE, row, fn, ud), __VA_ARGS__))
#define dbm_async_redis_command_cb(s, row, fn, ud, ...) dbm__async_began(DBM__ASYNC(s, dbm__async_tell_row(DBM__ASYNC_COMMAND, row, fn, ud), __VA_ARGS__))
#define dbm_async_next_cb(rows, row, fn, ud) dbm__async_began(dbm__async_rows(rows, dbm__async_tell_row(DBM__ASYNC_NEXT, row, fn, ud), DBM__SITE))
#define dbm_async_rows_end_cb(rows, fn, ud) dbm__async_began(dbm__async_rows(rows, dbm__async_tell(DBM__ASYNC_ROWS_END, fn, ud), DBM__SITE))
#define dbm_async_bulk_cb(s, table, columns, options, row, fn, ud) dbm__async_bulk_cb(s, table, columns, options, row, fn, ud, DBM__SITE)
#define dbm_async_run_cb(s, run, run_ud, fn, ud) dbm__async_began(dbm__async_run(s, dbm__async_tell(DBM__ASYNC_RUN, fn, ud), run, run_ud, DBM__SITE))
#define dbm_async_commit_cb(s, fn, ud) dbm__async_began(dbm__async_step(s, dbm__async_tell(DBM__ASYNC_COMMIT, fn, ud), DBM__SITE))
#define dbm_async_rollback_cb(s, fn, ud) dbm__async_began(dbm__async_step(s, dbm__async_tell(DBM__ASYNC_ROLLBACK, fn, ud), DBM__SITE))
#define dbm_async_end_cb(s, fn, ud) dbm__async_began(dbm__async_step(s, dbm__async_tell(DBM__ASYNC_END, fn, ud), DBM__SITE))

/* The row is at hand, or awaited; then the next round has it. */
#define DBM__AWAIT_ROW(t, rows, row, n) \
    for (;;) \
        if (!dbm__async_row(t, rows, &(row)) && dbm__await(t, dbm__await_at(t, n) ? dbm_async_next(rows, &(row)) : NULL, DBM__SITE)) { \
            return DBM_TASK_WAITS; \
            case DBM__TASK_LABEL(n): ; \
        } else if (dbm__await_maybe(t, (row) == NULL)) return DBM_TASK_FAILED; \
        else if ((row) == NULL) break; \
        else
#define DBM_AWAIT_ROW(t, rows, row) DBM__AWAIT_ROW(t, rows, row, DBM__TASK_NUMBER)
