/* Loops: what drives the asynchronous half, alone or inside of another library's loop.
 * May call: types.h, manager.h, adapter.h for DBM_STEP_READ and _WRITE.
 * Must not know: sessions. */
#ifdef __cplusplus
extern "C" {
#endif

typedef struct dbm_loop dbm_loop;
typedef struct dbm_task dbm_task;

/* >>loop
 * A loop that is part of another one: what dbm.h asks of that loop. Each is called on the loop's thread (`wake` apart), with `ud`, and must not call back
 * into dbm.h before it has returned.
 * Source    libcurl's multi_socket interface: one call says what to watch, one which time to wait for. */
typedef struct dbm_loop_hooks {
    void *ud;
    /* From now on, whenever fd is ready for `want` (DBM_STEP_READ, DBM_STEP_WRITE or both), call dbm_loop_ready(); level-triggered; 0: no more. *mine is NULL
     * at first, and the hook's own for as long as fd is watched. Other than DBM_OK: it can't be; what waits for fd fails with that. */
    dbm_status (*watch)(void *ud, int fd, int want, void **mine);
    /* Call dbm_loop_timeout() once, in so many microseconds; it takes the place of the time before. -1: at no time. */
    void (*timer)(void *ud, int64_t after_us);
    /* May be NULL, then timer(ud, 0) does it: call dbm_loop_timeout() when the other descriptors that are ready now have been told. */
    void (*soon)(void *ud);
    /* May be NULL, then a descriptor of the loop's own is watched for it: from any thread, makes the loop's thread call dbm_loop_timeout(). */
    void (*wake)(void *ud);
    /* May be NULL: whether anything is under way; a loop that ends when it has nothing to wait for must go on while there is. */
    void (*busy)(void *ud, bool busy);
    /* May be NULL: the last call. */
    void (*end)(void *ud);
} dbm_loop_hooks;

/* A loop's options. Zero is the default. */
typedef struct dbm_loop_options {
    int workers;      /* threads for calls that block (SQLite, MongoDB, Oracle's MySQL client, adapters without step, names of hosts), each started when it is first needed, 1..64
                       * (default 4; -1: none, the loop's thread runs them; so it is without threads); one more while one of them waits for its turn to write */
    int work_queue;   /* calls that may wait for a worker, 1..1000000 (default 10000); one more fails with E_LIMIT, unless it ends a session or a transaction */
    bool stay;        /* dbm_loop_run() goes on when nothing is under way: for a loop that is fed by dbm_loop_post() */
    bool use_poll;    /* poll() where epoll would be taken */
    const dbm_loop_hooks *hooks; /* part of another loop; copied */
} dbm_loop_options;
/* DBM_LOOP_OPTIONS(.workers = 2): a `const dbm_loop_options *` for the calls below, in C and in C++11. */
#define DBM_LOOP_OPTIONS(...) DBM__OPTIONS(dbm_loop_options, __VA_ARGS__)

/* Makes a loop for the databases of `mgr`.
 * Errors    E_NOMEM, E_MISUSE (an option out of its range, hooks without watch or timer), E_LIMIT (no descriptor is left), E_NOT_COMPILED.
 * Ownership the caller frees it with dbm_loop_free(), before the manager or after it (in a callback, too): then the manager's memory stays until the loop is freed.
 * Threads   the loop belongs to the thread that runs it, and with it all that is begun on it. */
DBM_API dbm_status dbm_loop_create(dbm_loop **out, dbm_manager *mgr, const dbm_loop_options *options);

/* The same inside of a loop of libuv, libev or libevent, which must outlive it; `options` may not name hooks. That loop is run, not this one. With libuv and libev
 * it keeps their loop going while anything is under way; with libevent as long as it lives. libuv gives its last handles back in the next turn of its loop.
 * Errors    also E_NOT_COMPILED without DBM_WITH_LIBUV, DBM_WITH_LIBEV, DBM_WITH_LIBEVENT. */
struct uv_loop_s;
struct ev_loop;
struct event_base;
DBM_API dbm_status dbm_loop_on_uv(dbm_loop **out, dbm_manager *mgr, struct uv_loop_s *uv, const dbm_loop_options *options);
DBM_API dbm_status dbm_loop_on_ev(dbm_loop **out, dbm_manager *mgr, struct ev_loop *ev, const dbm_loop_options *options);
DBM_API dbm_status dbm_loop_on_event(dbm_loop **out, dbm_manager *mgr, struct event_base *base, const dbm_loop_options *options);

/* Runs until nothing is under way, until dbm_loop_stop(), or for timeout_ms (-1: without limit).
 * Returns   DBM_OK; DBM_E_TIMEOUT: the time came first; DBM_E_CLOSED: a callback has freed the loop.
 * Errors    E_MISUSE: inside of a callback of the loop, or it is part of another loop; E_FORKED: in a child process. */
DBM_API dbm_status dbm_loop_run(dbm_loop *loop, int timeout_ms);

/* One turn: does what is due, waits up to timeout_ms (-1: without limit) for more while anything is under way, and does that. 0, for a superloop, never waits.
 * Returns   DBM_OK: something is under way; DBM_DONE: nothing is. Errors as above. */
DBM_API dbm_status dbm_loop_step(dbm_loop *loop, int timeout_ms);

/* Makes dbm_loop_run() return after its turn, or the next one at once. Any thread. */
DBM_API void dbm_loop_stop(dbm_loop *loop);

/* Has fn(ud) called on the loop's thread, in the order of the posts; also before that thread runs the loop. A post that dbm_loop_free() finds is called by it.
 * Returns   DBM_OK: it is called exactly once; E_NOMEM: not at all.
 * Threads   any, as long as the loop lives. */
DBM_API dbm_status dbm_loop_post(dbm_loop *loop, void (*fn)(void *ud), void *ud);

/* For hooks: fd is ready for `what` (DBM_STEP_READ, DBM_STEP_WRITE or both; both for an error or a hang-up); and: the time has come, or `soon` or `wake` asked for it.
 * On the loop's thread, not inside of a callback of dbm.h: there they do nothing. */
DBM_API void dbm_loop_ready(dbm_loop *loop, int fd, int what);
DBM_API void dbm_loop_timeout(dbm_loop *loop);

/* Ends whatever is under way, each task and call exactly once, with E_CANCELLED or E_CLOSED, and gives all memory back. It waits for calls that run on workers, however long they
 * take, and for servers up to the manager's grace_ms, and a second for a cancel; then their connections are closed (a COMMIT: E_IN_DOUBT). Inside of a
 * callback of the loop it takes effect at the end of the turn. NULL is allowed. */
DBM_API void dbm_loop_free(dbm_loop *loop);

#ifdef __cplusplus
}
#endif
