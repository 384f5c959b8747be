/* Pools: slots, checkout and return, waiting in order, upkeep, drain; the wait graph; and gates, where writers take turns.
 * May call: api/, base/, adapter/.
 * Must not know: what a session is. A slot is handed out with room for one behind it.
 *
 * A slot is in one of these states:
 *
 *     empty --connect--> (connecting) --ok--> out --give--> idle --take--> out
 *       ^                     |                |              |
 *       +-------fails---------+----broken------+---expired----+
 *
 * Each slot has a word of its own for it, on a cache line of its own, and each thread tries the one first that it had last: so a take is one
 * compare-and-swap that nobody disputes, and a return none. Returning goes out -> returning -> idle, and between the two stores it looks whether
 * somebody waits: then it takes the slot back and gives it by the lock. Whoever begins to wait says so first, and then waits until no slot is
 * `returning`; a store and a load on either side, so one of the two sees the other (dbm__fence_others). From then on takers queue and givers hand over
 * under the lock, so no wake-up is lost, and none is overtaken but by those who took what was idle in that moment. The store of `idle` is the last
 * that a giver does to the pool, which may be gone then. `empty` and all else is guarded by `lock`. No driver call and no hook runs under any lock. */
#ifndef DBM__POOL_H
#define DBM__POOL_H
#include "../adapter/adapter.h"

#define DBM__POOL_LIMIT 1000
#define DBM__CONNECTS 2                  /* at once, of one pool */

/* What a slot's connection is being put through, step by step: connect, ping, reset. Whoever has the slot calls the step function again and
 * again. It answers what to wait for: DBM_STEP_DONE, DBM_STEP_READ, _WRITE, _BOTH (fd, until until_us), DBM_STEP_TIMER (until_us), or
 *     DBM__STEP_BLOCKS  nothing: it goes on in a call that may block, on a thread that may;
 *     DBM__STEP_QUEUED  (checkout) until woken, or until_us.
 * `heard` says what came of that: DBM_OK, DBM_E_TIMEOUT or what dbm__net_wait() said; after the other two, and at first, DBM_OK. `may_block`
 * says that this call may take its time: with an adapter of blocking entries, init_sql, names to be looked up. A step's failure is the last one of
 * the thread that made it. No two threads at once; one after the other is fine. */
enum { DBM__STEP_BLOCKS = 8, DBM__STEP_QUEUED = 16 };
typedef struct dbm__way {
    int phase;
    bool on;                             /* the operation has been started */
    bool close;                          /* on its way back: the connection is not for anybody else */
    dbm_status status;                   /* how it ended */
    dbm_status heard;                    /* by a step that then asked for one that may block */
    int fd;
    int64_t until_us;
    int64_t began_us, limit_us;
    dbm_op op;
    dbm__running running;
} dbm__way;

typedef struct dbm__slot {
    dbm__word state;                     /* DBM__SLOT_... */
    struct dbm__pool *pool;
    dbm__word gen;                       /* of the session that has it, raised at each begin and end; read by dbm_cancel */
    uint32_t fork_gen;                   /* sessions up to this gen were open when the process forked */
    dbm__word uses;
    dbm__word statements;                /* sent, for dbm_stats */
    dbm__word holder;                    /* thread number of a block session; DBM__HOLDER_LOOP(thread number): of a loop there; 0: free, or held by one that may run anywhere */
    dbm__word site;                      /* const char *: who holds it */
    dbm__word since_ms;                  /* when it was first seen out, odd; 0: not looked at yet */
    unsigned index;
    dbm_connection connection;
    bool leak_reported;
    bool reset_full;                     /* the session changed the connection itself: RESET before the next one */
#define DBM__UPKEEP_EVERY 256u           /* returns of a slot, of which one looks whether upkeep is due */
    dbm__way way;
    int64_t expires_us;                  /* pool_recycle, jitter included */
    int64_t used_us;                     /* last return; 0 where the clock is not read for it: upkeep notes when it first sees it idle */
} dbm__slot;

enum { DBM__SLOT_OUT = 0, DBM__SLOT_IDLE, DBM__SLOT_RETURNING, DBM__SLOT_EMPTY };
enum { DBM__POOL_OPEN = 0, DBM__POOL_CLOSING = 1 };
enum { DBM__SLOW_TAKE = 1, DBM__SLOW_GIVE = 2 };
#define DBM__HOLDER_LOOP(number) (~(dbm__word)(number)) /* no thread's, so that it is never proved stuck: see graph.c */

/* Who waits for the connections of a pool: a thread for one, or a loop for as many as it likes, each with a place of its own in the queue. */
typedef struct dbm__taker {
    dbm_database *db;
    void (*wake)(void *ud);              /* NULL: a thread waits for the signal `ud` points to */
    void *ud;
    dbm__word fork;                      /* the fork epoch that it lives in */
    dbm__word holder;                    /* DBM__HOLDER_LOOP(); 0: a thread waits */
    dbm__word waking;                    /* DBM__WAKE_...: a call of `wake` is on its way */
    struct dbm__taker *woken_next;
    struct dbm__taking *served, **last_served; /* what got something and has not been stepped since; under the pool's lock */
} dbm__taker;

/* One checkout, from its start to a slot or a failure: in the caller's memory, and all that a place in the queue costs. */
typedef struct dbm__taking {
    struct dbm__taking *next;            /* in the queue, or among what is served */
    union { struct dbm__taking *previous; dbm__slot *slot; } u; /* previous: while in the queue; else the slot, out, with DBM_OK */
    dbm__taker *by;
    const char *site;
    int64_t began_us;
    uint32_t ticket;                     /* the place in the queue, kept when it comes back to it; 0: none yet */
    unsigned char phase;
    unsigned char got;                   /* DBM__GOT_... */
    unsigned char status;                /* dbm_status; out */
} dbm__taking;
enum { DBM__GOT_NOTHING = 0, DBM__GOT_IDLE, DBM__GOT_EMPTY, DBM__GOT_FAILURE, DBM__GOT_LATE };

typedef struct dbm__pool {
    /* read by all */
    char *slots;
    size_t slot_size;
    int slot_count, size;
    dbm__word slow;                      /* changed under the lock. DBM__SLOW_TAKE: somebody waits, or it is closing: nobody takes or gives past the
                                          * lock; DBM__SLOW_GIVE: returns take it: overflow is open, or leaks are out */
    dbm__word fork;                      /* the fork epoch that this pool lives in */
    bool check;                          /* connections are looked at when taken: sockets, or an adapter with .alive */
    bool full_reset;                     /* pool_reset_on_return = full */
    dbm__word fenced;                    /* dbm__fence_others() works */
    dbm_database *db;
    void *slots_block;
    int names;                           /* hosts that are looked up by name */
    dbm__word suspect_ms;                /* connections last used before then are pinged: one of their kind was found dead */
    dbm__word shared_dead;               /* the shared connection must be replaced */
    dbm_stats_info stats;                /* counters that change on slow paths, under the lock */

    dbm__lock lock;                      /* guards all below, and changes of a slot's state */
    int empty;                           /* slots */
    bool may_idle;                       /* while SLOW_TAKE: some slot may be idle */
    dbm__taking *first, *last;
    dbm__taker *woken;                   /* to be called as soon as the lock is given back: dbm__pool_leave() */
    uint32_t tickets;
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
    int waiting;
    uint64_t barges, turn;               /* turn: barges when the queue last moved */
    dbm__word last_in;                   /* the thread that took it last while others waited, */
    bool streak;                         /* twice running */
    int wary;                            /* so many leave before a streak counts again */
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
    dbm__word orphans;                   /* the manager, its loops, and sessions still out after it went; the last one frees everything */
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
/* The same step by step, for a taker that is neither stepped, asked nor ended by two threads at once, but for calls that may block: those are of one
 * taking alone. `wake` is called, from any thread, without a lock, when the taker should ask what is to be stepped: it must only make somebody do so later.
 * What a step waits for, but in the queue, is in its slot's way. */
DBM__FN void dbm__taker_init(dbm__taker *by, dbm_database *db, void (*wake)(void *ud), void *ud);
/* One that was in the queue and is to be stepped, for it got something or its time has come; NULL: none, until *until_us or the next `wake`. */
DBM__FN dbm__taking *dbm__taker_next(dbm__taker *by, int64_t *until_us);
/* From here on `wake` is not called any more: none of its takings is under way. */
DBM__FN void dbm__taker_end(dbm__taker *by);
DBM__FN void dbm__taking_init(dbm__taking *t, dbm__taker *by, const char *site); /* its first step is its start */
DBM__FN int dbm__taking_step(dbm__taking *t, dbm_status heard, bool may_block, int64_t session_deadline_us);
/* Gives it up at any point before its last step, DBM_STEP_DONE: its place in the queue, a slot that was handed to it just now (which goes on to the next
 * one), a half-open connection. With an adapter of blocking entries it may have to close a connection. */
DBM__FN void dbm__taking_abandon(dbm__taking *t);

/* The way back: dbm__pool_give(slot), or step by step. False: it is back already, and no longer the caller's; true: step it, with fd and until_us in
 * slot->way, until DBM_STEP_DONE, after which it is not the caller's. Leaves the thread's last failure as it was. */
DBM__FN void dbm__pool_give_slow(dbm__slot *slot);
DBM__FN bool dbm__giving_start(dbm__slot *slot);
DBM__FN int dbm__giving_step(dbm__slot *slot, dbm_status heard, bool may_block);

/* Closes a slot's connection and makes another in its place; for a connection found dead before anything was sent on it. In pieces: begin (which may
 * block where the adapter's entries do), dbm__connect_step() until DBM_STEP_DONE, end. */
DBM__FN dbm_status dbm__pool_reconnect(dbm__slot *slot, int64_t deadline_us);
DBM__FN void dbm__reconnect_begin(dbm__slot *slot, int64_t deadline_us);
DBM__FN dbm_status dbm__reconnect_end(dbm__slot *slot);
/* Opening ahead of need: a slot to connect, when fewer than `idle_wanted` are idle and a connect is allowed now, else NULL; then what came of it:
 * the connection is idle, or the failure (this thread's last) counts like any other. */
DBM__FN dbm__slot *dbm__pool_open_begin(dbm__pool *pool, int idle_wanted);
DBM__FN void dbm__pool_open_end(dbm__slot *slot, dbm_status st);
/* One physical connect of a slot that is the caller's: way.status tells how it ended. */
DBM__FN void dbm__connect_start(dbm__slot *slot, int64_t deadline_us);
DBM__FN int dbm__connect_step(dbm__slot *slot, dbm_status heard, bool may_block);
DBM__INLINE bool dbm__pool_shared(const dbm__pool *pool) { return (pool->db->adapter->flags & DBM_ADAPTER_SHARED) != 0; }
/* Whether this pool's operations come in steps at all. */
DBM__INLINE bool dbm__pool_steps(const dbm__pool *pool) {
    return pool->db->adapter->start != NULL && !dbm__pool_shared(pool);
}
/* In a child process: forgets what is the parent's. */
DBM__FN void dbm__pool_after_fork(dbm__pool *pool);
/* One due piece of upkeep, or all. */
DBM__FN void dbm__pool_upkeep(dbm__pool *pool, bool all);
/* No new checkouts; waiters fail with E_CLOSED; idle connections are closed. */
DBM__FN void dbm__pool_close(dbm__pool *pool);
/* Waits until no session is out, or until the time; not for those of this thread's own blocks and loops. Returns how many are out, but those of its loops, which can't leak. */
DBM__FN int dbm__pool_drain(dbm__pool *pool, int64_t until_us);
/* The manager goes: sessions that are still out are counted into shared->orphans, each to be taken off at its return. */
DBM__FN void dbm__pool_orphan(dbm__pool *pool);
DBM__FN void dbm__pool_stats(dbm__pool *pool, dbm_stats_info *out);
/* What is said of whoever has waited in vain for so many microseconds: by pool_timeout (pools_own), or by its own deadline. */
DBM__FN dbm_status dbm__pool_timed_out(dbm__pool *pool, bool pools_own, int64_t waited, const char *site);
/* "app.c:12 for at least 3 s, app.c:40": who holds connections; `but`: those of this holder apart. */
DBM__FN void dbm__pool_holders(dbm__pool *pool, dbm__word but, dbm__text *out);
/* A connection of this pool died under a session: others of the same age are suspect. */
DBM__FN void dbm__pool_suspect(dbm__pool *pool);

/* ---- between the files of this room ---- */
DBM__FN dbm_status dbm__slot_connect(dbm__slot *slot, int64_t deadline_us);
DBM__FN void dbm__slot_disconnect(dbm__slot *slot, dbm_disconnect how); /* no lock is held */
DBM__FN void dbm__slot_retire(dbm__slot *slot);
DBM__FN int dbm__way_step(dbm__slot *slot, dbm_op_kind kind, int64_t deadline_us, dbm_status heard, bool may_block); /* way.on false: starts it */
DBM__FN dbm_status dbm__way_wait(dbm__slot *slot, int want);            /* a thread waits, and heard this */
DBM__FN void dbm__connect_drop(dbm__slot *slot);                        /* given up before it was done; the slot has no connection then */
DBM__FN void dbm__way_drop(dbm__slot *slot);                            /* gives up what is in flight; the connection is broken then */
DBM__FN void dbm__shared_close(dbm__pool *pool, dbm_disconnect how);
DBM__FN bool dbm__pool_connected(dbm__pool *pool);
DBM__FN bool dbm__pool_connect_failed(dbm__pool *pool, const dbm_error_info *e, int64_t now, bool *went_down);
DBM__FN void dbm__pool_turned(dbm__pool *pool, bool came_up, bool went_down, const char *site); /* says so */
DBM__FN bool dbm__fork_claim(dbm__word *fork);
/* Under the pool's lock: */
DBM__FN void dbm__slot_to_empty(dbm__slot *slot);
DBM__FN void dbm__pool_set_idle(dbm__slot *slot);
DBM__FN void dbm__pool_set_slow(dbm__pool *pool);
DBM__FN dbm__slot *dbm__pool_pick_idle(dbm__pool *pool);
DBM__FN dbm__slot *dbm__pool_pick_empty(dbm__pool *pool);
DBM__FN int dbm__pool_idle(dbm__pool *pool);
DBM__FN void dbm__slot_back(dbm__slot *slot);                           /* its connection is for the first in line, or idle */
DBM__FN void dbm__pool_dispatch(dbm__pool *pool, int64_t now);
DBM__FN void dbm__pool_leave(dbm__pool *pool);                          /* gives the lock back, and wakes who was served */
DBM__FN void dbm__pool_leave_in(dbm__pool *pool);                       /* the same after a slot that was out, or being connected, has become idle or empty */
DBM__FN void dbm__orphan_returned(dbm__shared *shared);                /* the last session that outlived its manager frees everything */
DBM__FN void dbm__taking_link(dbm__pool *pool, dbm__taking *t);
DBM__FN void dbm__taking_unlink(dbm__pool *pool, dbm__taking *t);
DBM__FN void dbm__taking_got(dbm__pool *pool, dbm__taking *t, int got, dbm__slot *slot, dbm_status status);

/* The slot alone, if it is idle. */
DBM__INLINE dbm__slot *dbm__pool_try(dbm__pool *pool, unsigned i) {
    dbm__word idle = DBM__SLOT_IDLE;
    dbm__slot *slot;
    if (DBM__UNLIKELY(i >= (unsigned)pool->slot_count)) return NULL;
    slot = dbm__pool_slot(pool, (int)i);
    return DBM__LIKELY(dbm__cas(&slot->state, &idle, DBM__SLOT_OUT)) ? slot : NULL;
}

/* Checkout: the one that this thread had last, when nothing is special about the pool, else the long way. */
DBM__INLINE dbm_status dbm__pool_take(dbm_database *db, int64_t session_deadline_us, dbm__word holder, const char *site, dbm__slot **out) {
    dbm__pool *pool = db->pool;
    dbm__slot *slot;
    if (DBM__LIKELY(!pool->check && dbm__load(&pool->fork) == dbm__fork_epoch() && !(dbm__load(&pool->slow) & DBM__SLOW_TAKE)
                    && (slot = dbm__pool_try(pool, dbm__self()->slot)) != NULL)) {
        dbm__store(&slot->uses, slot->uses + 1u);
        dbm__store(&slot->since_ms, 0);
        dbm__store(&slot->site, (dbm__word)site);
        dbm__store(&slot->holder, holder);
        *out = slot;
        return DBM_OK;
    }
    return dbm__pool_take_slow(db, session_deadline_us, holder, site, out);
}

/* Back to the idle ones; false when that needs the lock. */
DBM__INLINE bool dbm__pool_put(dbm__slot *slot) {
    dbm__pool *pool = slot->pool;
    dbm__word slow;
    if (DBM__LIKELY(dbm__load(&pool->fenced) != 0)) {
        dbm__store(&slot->state, DBM__SLOT_RETURNING);
        dbm__fence_light();
        slow = dbm__load(&pool->slow);
    } else {
        (void)dbm__swap(&slot->state, DBM__SLOT_RETURNING);
        slow = dbm__load_ordered(&pool->slow);
    }
    if (DBM__UNLIKELY(slow != 0)) {
        dbm__store(&slot->state, DBM__SLOT_OUT);
        return false;
    }
    dbm__store_release(&slot->state, DBM__SLOT_IDLE);
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
#endif /* DBM__POOL_H */
