/* Listeners: what others publish on channels, on a connection that is theirs alone.
 * May call: types.h, adapter.h, loop.h, task.h.
 * Must not know: how it is heard. */

/* >>listeners
 * PostgreSQL's LISTEN and NOTIFY, Redis' publish and subscribe, on a loop:
 *     dbm_listener *l;
 *     dbm_listen(loop, dbm_get(mgr, "default"), heard, ud, &l);
 *     dbm_listen_to(l, DBM_LISTEN_CHANNEL, "orders");
 * The connection is outside of the pool and its limits. When it breaks, that is told (DBM_HEARD_GAP), it is made again, and all channels are subscribed to again
 * (DBM_HEARD_READY): whatever was published in between is lost, so that a program which must miss nothing reads the state itself when it hears READY.
 * Source    that a lost connection is told rather than hidden: asyncpg's termination listeners; that subscriptions come back: lettuce. */
typedef enum dbm_heard_kind {
    DBM__HEARD_SIGNED = -1,
    DBM_HEARD_MESSAGE = 1, /* `message` */
    DBM_HEARD_READY,       /* every channel that was asked for is subscribed to, for the first time or again */
    DBM_HEARD_GAP          /* from here on, until READY, nothing is heard: `status` and dbm_last_error() say why. Told once for each gap */
} dbm_heard_kind;

typedef struct dbm_heard {
    dbm_heard_kind kind;
    dbm_status status;                 /* GAP: E_LOST, E_CONNECT, ..., or E_SQL and its like where the server refused to subscribe */
    const dbm_notification *message;   /* MESSAGE, else NULL; valid during the call, or until a task's next call on the listener */
} dbm_heard;
typedef struct dbm_listener dbm_listener;
typedef void (*dbm_heard_fn)(void *ud, const dbm_heard *heard);

#ifdef __cplusplus
extern "C" {
#endif

/* Begins to listen, to nothing yet. With `fn`, it is called for whatever is heard, by the loop, in order, until dbm_listen_end(); it may call anything, dbm_listen_end() too.
 * With fn NULL, a task takes one after the other by dbm_async_heard(), and nothing is read from the server in between.
 * Errors    E_UNSUPPORTED: this backend has no channels; E_NOMEM, E_MISUSE, E_CLOSED (the loop is being freed). A server that is not there is a GAP.
 * Ownership ended by dbm_listen_end(), or with the loop, while whose tasks clean up that is still allowed. With fn it keeps dbm_loop_run() going till then.
 * Threads   the loop's, as all calls below. */
DBM_API dbm_status dbm_listen(dbm_loop *loop, dbm_database *db, dbm_heard_fn fn, void *ud, dbm_listener **out);

/* Adds a channel, of kind DBM_LISTEN_CHANNEL, _PATTERN or _SHARD (Redis), or takes it away. They return before the server was asked: READY follows when all is subscribed. The name is
 * copied. A channel that is there already, or not there, changes nothing.
 * Errors    E_NOMEM, E_MISUSE, E_LIMIT (a name over 1,000 bytes). */
DBM_API dbm_status dbm_listen_to(dbm_listener *l, int kind, const char *channel);
DBM_API dbm_status dbm_listen_no_more(dbm_listener *l, int kind, const char *channel);

/* What is heard next, for a task: DBM_AWAIT(t, dbm_async_heard(t, l, &x->heard)). One task at a time (E_MISUSE). E_CLOSED: the listener has ended. */
#define dbm_async_heard(t, l, out) dbm__async_heard(t, l, out, DBM__SITE)
DBM_API dbm_act *dbm__async_heard(dbm_task *t, dbm_listener *l, dbm_heard *out, const char *site);

/* Ends it: its connection is closed, fn is not called any more, and the task that awaits gets E_CLOSED. NULL is allowed. */
DBM_API void dbm_listen_end(dbm_listener *l);

#ifdef __cplusplus
}
#endif
