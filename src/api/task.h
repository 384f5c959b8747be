/* Tasks: straight-line code that awaits, without a stack or a thread of its own.
 * May call: types.h, loop.h.
 * Must not know: databases. */

/* >>tasks
 * A task is a function that is called again where it waited. What must live across an await stands in the struct it was given, never in a local:
 *     static dbm_task_status greet(dbm_task *t) {
 *         struct greeting *x = dbm_task_data(t);
 *         DBM_TASK_BEGIN(t);
 *         DBM_AWAIT(t, dbm_async_sleep(t, 100));
 *         DBM_TRY_AWAIT(t, &x->rc, dbm_async_call(t, blocking, x));
 *         DBM_TASK_FINALLY(t);            (may be left out)
 *         free(x->text);
 *         DBM_TASK_END(t);
 *     }
 *   DBM_AWAIT(t, call)              waits for what the call began. When that failed the body is over
 *   DBM_TRY_AWAIT(t, &rc, call)     the same, but goes on, with the status in rc
 *   DBM_AWAIT_WITHIN(t, ms, call), DBM_TRY_AWAIT_WITHIN(t, ms, &rc, call)   asks it to end after ms milliseconds, which is E_TIMEOUT
 *   return DBM_TASK_DONE;           ends the body early, well; return dbm_task_fail(t, status); ends it with a failure
 * When the body is over, however, what it began and has not awaited is waited for (after a failure: asked to end), its sessions end in reverse, by
 * a commit when all went well, else rolled back; and then what follows DBM_TASK_FINALLY runs, for which dbm_task_outcome() tells how that went. Then
 * the same for what was begun there. The first failure is the task's.
 * A call that an await of a cancelled task would begin is not made, and after 64 such awaits in a row the body is over whether it likes it or not.
 * An await inside of a switch of the body's own is an error in C++, a warning in C, and fails with E_MISUSE. A DBM_SESSION or DBM_EACH block must not hold
 * an await; a C++ exception must not leave the function. What has ended and was never awaited keeps its memory until the task ends: one that begins
 * children without end uses dbm_spawn().
 * Threads   all of a task runs on the thread of its loop; dbm_task_cancel() alone is for any.
 * Source    that nothing outlives its task, that one failed child ends the others, and the clean-up that is shielded: Python's
 *           asyncio.TaskGroup, trio's nurseries. The switch: Simon Tatham's "Coroutines in C". */
typedef enum dbm_task_status { DBM__TASK_STATUS_SIGNED = -1, DBM_TASK_DONE = 0, DBM_TASK_WAITS, DBM_TASK_FAILED } dbm_task_status;
typedef dbm_task_status (*dbm_task_fn)(dbm_task *t);
typedef struct dbm__act dbm_act; /* something under way that can be awaited, once, by the task that began it */

/* Stands for a task, also when it has ended: then it stands for nothing. Empty (loop NULL): it could not be started. */
typedef struct dbm_task_handle { dbm_loop *loop; void *slot; uint32_t gen; } dbm_task_handle;

typedef struct dbm_spawn_options {
    int deadline_ms;  /* of all of it, as dbm_task_deadline() (default none) */
    /* Called once, on the loop, when all of the task has ended; `error` is NULL unless it failed, and valid during the call. */
    void (*on_end)(void *ud, dbm_status status, const dbm_error_info *error);
    void *on_end_ud;
} dbm_spawn_options;

#ifdef __cplusplus
extern "C" {
#endif

/* Starts a task: dbm_spawn(loop, fn, data), dbm_spawn_opt(loop, fn, data, .deadline_ms = 100, .on_end = f). fn is called by the loop, not in here.
 * Returns   a handle; an empty one when there was no memory (E_NOMEM) or the loop is being freed (E_CLOSED). Then nothing is called.
 * Ownership `data` is the caller's, and must live until the task has ended. A failure of a task without on_end goes to the log, as a warning.
 * Threads   the loop's. */
#define dbm_spawn(loop, fn, data) dbm__spawn(loop, fn, data, NULL, DBM__SITE)
#define dbm_spawn_opt(loop, fn, data, ...) dbm__spawn(loop, fn, data, DBM__OPTIONS(dbm_spawn_options, __VA_ARGS__), DBM__SITE)
DBM_API dbm_task_handle dbm__spawn(dbm_loop *loop, dbm_task_fn fn, void *data, const dbm_spawn_options *options, const char *site);

/* Asks a task to end: what it awaits is asked to, and that await, and each one after it in its body, fails with E_CANCELLED; so does the task. What
 * follows DBM_TASK_FINALLY runs undisturbed. A task that has ended is left alone. A COMMIT or ROLLBACK that is on its way
 * goes on, for the manager's grace_ms at the most; then its connection is closed, and a COMMIT in doubt.
 * Returns   DBM_OK when the loop was told. Errors: E_NOMEM, E_MISUSE (empty handle).
 * Threads   any, while the loop lives. */
DBM_API dbm_status dbm_task_cancel(dbm_task_handle handle);
/* Gives the body of the task ms milliseconds from now (-1: no limit); when they are over it is as cancelled, with E_TIMEOUT. Its COMMIT, by dbm_async_commit() or
 * at its end, is given up then (E_IN_DOUBT where it wrote), its ROLLBACK a second later, as by the timeout_ms of a session. Errors: E_NOMEM. */
DBM_API dbm_status dbm_task_deadline(dbm_task *t, int ms);
/* `return dbm_task_fail(t, status);` ends the body with this failure; the message is that of this thread's last failure when it is of that status. */
DBM_API dbm_task_status dbm_task_fail(dbm_task *t, dbm_status status);
/* How the task went so far. A failure becomes this thread's last one. */
DBM_API dbm_status dbm_task_outcome(dbm_task *t);
DBM_API dbm_loop *dbm_task_loop(dbm_task *t);

/* The tasks of a loop, children too: how many there are now, were begun, and failed. The loop's thread. */
typedef struct dbm_task_stats_info { int running; uint64_t begun, failed; } dbm_task_stats_info;
DBM_API void dbm_task_stats(dbm_loop *loop, dbm_task_stats_info *out);

/* >>awaitable
 * What can be awaited beside the calls of sessions. Each begins at once; NULL, whose await fails, when it could not begin. Several that were begun
 * run side by side: a = dbm_async_task(t, f, x); b = dbm_async_task(t, f, y); DBM_AWAIT(t, a); DBM_AWAIT(t, b);
 *   dbm_async_task(t, fn, data)   a child: a task that ends before this one does. Its failure is that of the await
 *   dbm_async_all(t)              all that this task has begun and not awaited. When one fails, the others are asked to end, and that is its failure
 *   dbm_async_sleep(t, ms)        a time that is over already (0, or less) is none
 *   dbm_async_yield(t)            lets everything else have its turn. A task whose awaits are all fulfilled already does so by itself now and then
 *   dbm_async_call(t, fn, ud)     fn(ud), which may block, on a worker thread of the loop. A failed status is that of the await; a call that runs can't
 *                                 be cancelled
 *   dbm_async_cancel(act)         asks one to end; it is still to be awaited, or ends with the task */
#define dbm_async_task(t, fn, data) dbm__async_task(t, fn, data, DBM__SITE)
#define dbm_async_all(t) dbm__async_all(t, DBM__SITE)
#define dbm_async_sleep(t, ms) dbm__async_sleep(t, ms, DBM__SITE)
#define dbm_async_yield(t) dbm__async_yield(t, DBM__SITE)
#define dbm_async_call(t, fn, ud) dbm__async_call(t, fn, ud, DBM__SITE)
DBM_API dbm_act *dbm__async_task(dbm_task *t, dbm_task_fn fn, void *data, const char *site);
DBM_API dbm_act *dbm__async_all(dbm_task *t, const char *site);
DBM_API dbm_act *dbm__async_sleep(dbm_task *t, int ms, const char *site);
DBM_API dbm_act *dbm__async_yield(dbm_task *t, const char *site);
DBM_API dbm_act *dbm__async_call(dbm_task *t, dbm_status (*fn)(void *ud), void *ud, const char *site);
DBM_API void dbm_async_cancel(dbm_act *act);

DBM_API void *dbm__task_data(dbm_task *t);
DBM_API long long dbm__task_at(dbm_task *t);
DBM_API dbm_task_status dbm__task_over(dbm_task *t);
DBM_API bool dbm__await_at(dbm_task *t, int at);
DBM_API bool dbm__await(dbm_task *t, dbm_act *act, const char *site);
DBM_API bool dbm__await_within(dbm_task *t, int ms, dbm_act *act, const char *site);
DBM_API dbm_status dbm__awaited(dbm_task *t);
DBM_API bool dbm__await_failed(dbm_task *t);
DBM_API bool dbm__await_maybe(dbm_task *t, bool made); /* the same where none may have been made */

#ifdef __cplusplus
}
/* The pointer the task was started with, as whatever type it is given to: no cast in C++ either. */
struct dbm__pointer { void *p; template <class T> operator T *() const { return static_cast<T *>(p); } };
inline dbm__pointer dbm__task_pointer(dbm_task *t) { dbm__pointer p = { dbm__task_data(t) }; return p; }
#  define dbm_task_data(t) dbm__task_pointer(t)
#else
#  define dbm_task_data(t) dbm__task_data(t)
#endif

/* The labels are beyond what an int holds, so that they are out of place in a switch that is not BEGIN's. Without __COUNTER__ a line has one await. */
#define DBM__TASK_LABEL(n) (0x100000000LL + (n))
#define DBM__TASK_FINALLY 0x200000000LL
#if defined(__COUNTER__)
#  define DBM__TASK_NUMBER (__COUNTER__ + 1)
#else
#  define DBM__TASK_NUMBER __LINE__
#endif
#define DBM_TASK_BEGIN(t) switch (dbm__task_at(t)) { case 0:
#define DBM_TASK_FINALLY(t) return DBM_TASK_DONE; case DBM__TASK_FINALLY:
#define DBM_TASK_END(t) return DBM_TASK_DONE; default: ; } return dbm__task_over(t)
#define DBM__AWAIT(begun, n, then) do { if (begun) { return DBM_TASK_WAITS; case DBM__TASK_LABEL(n): ; } then; } while (0)
#define DBM__AWAIT1(t, call, n) \
    DBM__AWAIT(dbm__await(t, dbm__await_at(t, n) ? call : NULL, DBM__SITE), n, if (dbm__await_failed(t)) return DBM_TASK_FAILED)
#define DBM__AWAIT2(t, rc, call, n) DBM__AWAIT(dbm__await(t, dbm__await_at(t, n) ? call : NULL, DBM__SITE), n, *(rc) = dbm__awaited(t))
#define DBM__AWAIT3(t, ms, call, n) \
    DBM__AWAIT(dbm__await_within(t, ms, dbm__await_at(t, n) ? call : NULL, DBM__SITE), n, if (dbm__await_failed(t)) return DBM_TASK_FAILED)
#define DBM__AWAIT4(t, ms, rc, call, n) DBM__AWAIT(dbm__await_within(t, ms, dbm__await_at(t, n) ? call : NULL, DBM__SITE), n, *(rc) = dbm__awaited(t))
#define DBM_AWAIT(t, ...) DBM__AWAIT1(t, (__VA_ARGS__), DBM__TASK_NUMBER)
#define DBM_TRY_AWAIT(t, rc, ...) DBM__AWAIT2(t, rc, (__VA_ARGS__), DBM__TASK_NUMBER)
#define DBM_AWAIT_WITHIN(t, ms, ...) DBM__AWAIT3(t, ms, (__VA_ARGS__), DBM__TASK_NUMBER)
#define DBM_TRY_AWAIT_WITHIN(t, ms, rc, ...) DBM__AWAIT4(t, ms, rc, (__VA_ARGS__), DBM__TASK_NUMBER)
