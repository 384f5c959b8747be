/* The asynchronous half: what its files tell one another.
 * May call: api/, base/, net/, adapter/, pool/, sql/, session/, data/, manager/.
 * Must not know: any driver.
 *
 *     loop     watches descriptors and times, runs jobs, is woken from other threads        knows: jobs, watches
 *     workers  run blocking calls                                                           knows: loop
 *     acts     whatever can be awaited: a call of a session, a join, a sleep                knows: loop, session
 *     tasks    straight-line code that awaits acts                                          knows: loop, acts
 *
 * Everything but dbm__loop_post() belongs to the loop's thread. An act ends by one dbm__act_done(), and is told by the loop, never inside the call that made it. */
#ifndef DBM__ASYNC_H
#define DBM__ASYNC_H
#include "../session/session.h"
/* The answer of what is left out. */
DBM__FN dbm_status dbm__loop_left_out(dbm_loop **out, const char *what, const char *macro);
#if DBM_HAS_ASYNC

/* ---- loop.c ---- */

/* Something to do soon. It belongs to whoever made it, and is free again when `run` is called. */
typedef struct dbm__job {
    struct dbm__job *next;
    void (*run)(struct dbm__job *job);
} dbm__job;
DBM__FN void dbm__loop_soon(dbm_loop *loop, dbm__job *job); /* in this turn of the loop, after what runs now; in order */
DBM__FN void dbm__loop_post(dbm_loop *loop, dbm__job *job); /* from any thread: wakes the loop; in order. May be called under a lock */

/* A wait for a descriptor, a time, or whichever is first; tells once. Memory of whoever waits. Several may wait for one descriptor. */
typedef struct dbm__watch {
    void (*heard)(struct dbm__watch *w, dbm_status heard); /* DBM_OK: ready, or hung up; DBM_E_TIMEOUT: the time came; _CLOSED: the loop's end waits no longer; else why it can't be watched */
    struct dbm__watch *next;             /* the loop's */
    int64_t until_us;
    int fd;                              /* -1: only the time, or not watched */
    int timer;                           /* its place among the times; DBM__WATCH_NONE, _DUE */
    short want, status;
    uint32_t serial;                     /* of the connection whose descriptor it is, 0: none: when it is another than the last one's, the number was used again */
} dbm__watch;
enum { DBM__WATCH_NONE = -1, DBM__WATCH_DUE = -2 };
/* In `want`, beside READ and WRITE: the descriptor may be another than the one of this number that was watched before (while connecting, drivers close and open
 * them by themselves). */
enum { DBM__WATCH_NEW = 8 };
DBM__FN void dbm__watch_init(dbm__watch *w, void (*heard)(dbm__watch *w, dbm_status heard));
DBM__FN void dbm__loop_watch(dbm_loop *loop, dbm__watch *w, int fd, int want, int64_t until_us); /* want: DBM_STEP_READ, _WRITE or both, 0: fd is not to wake the loop meanwhile; until INT64_MAX: for ever */
DBM__FN void dbm__loop_unwatch(dbm_loop *loop, dbm__watch *w); /* also when it is not watched */
/* Before a driver closes a descriptor, the loop forgets it. Nobody may be waiting for it. */
DBM__FN void dbm__loop_forget(dbm_loop *loop, int fd);
/* Called when the next wait would begin: what became ready in a turn leaves in one send. */
DBM__FN void dbm__loop_at_turn_end(dbm_loop *loop, dbm__job *job);

/* What keeps dbm_loop_run() going: each task and each act under way. */
DBM__FN void dbm__loop_hold(dbm_loop *loop);
DBM__FN void dbm__loop_release(dbm_loop *loop);
DBM__FN dbm_manager *dbm__loop_manager(dbm_loop *loop);
DBM__FN dbm__host *dbm__loop_host(dbm_loop *loop);
/* What dbm_loop_free() calls, in this order, so that all that is under way is asked to end, and once more when it has; naming one again changes nothing. In a child process too, where
 * nothing may be said to anybody. */
DBM__FN void dbm__loop_at_end(dbm_loop *loop, void (*end_all)(dbm_loop *loop));
DBM__FN bool dbm__loop_ends(dbm_loop *loop); /* what is begun now ends at once, with E_CLOSED */
/* Whether something may be begun on it: DBM_OK, E_FORKED or E_CLOSED. */
DBM__FN dbm_status dbm__loop_alive(dbm_loop *loop, const char *site);
/* Where act.c and task.c keep what they have one of for each loop; freed with it, by dbm__free(). */
DBM__FN void **dbm__loop_of_acts(dbm_loop *loop);
DBM__FN void **dbm__loop_of_tasks(dbm_loop *loop);
DBM__FN void **dbm__loop_of_listeners(dbm_loop *loop); /* the first of them, in the place of such a block */
/* Memory that is kept for the next of its size, up to DBM__LOOP_BLOCK bytes; larger is the host's. NULL: none. Not zeroed. */
enum { DBM__LOOP_BLOCK = 1024 };
DBM__FN void *dbm__loop_take(dbm_loop *loop, size_t size);
DBM__FN void dbm__loop_give(dbm_loop *loop, void *block, size_t size);

/* For bind_*.c. */
DBM__FN dbm__host *dbm__host_of(dbm_manager *mgr);
/* Makes a loop with these hooks, for the program and for the hooks' own use; when it can't, the hooks are ended. */
DBM__FN dbm_status dbm__loop_bind(dbm_loop **out, dbm_loop **own, dbm_manager *mgr, const dbm_loop_options *options, const dbm_loop_hooks *hooks);

/* ---- worker.c ---- */

/* A blocking call. `run` on a worker, then `done` on the loop. */
typedef struct dbm__worked {
    dbm__job job;
    struct dbm__worked *next;
    dbm_loop *loop;
    bool must;                           /* a full queue is no reason to refuse it */
    void (*run)(struct dbm__worked *work);  /* on a worker thread; without threads: on the loop's, when it has nothing else to do */
    void (*done)(struct dbm__worked *work); /* on the loop */
} dbm__worked;
/* DBM_E_LIMIT when the queue is full, NOMEM when no worker could be started; then neither is called. */
DBM__FN dbm_status dbm__loop_work(dbm_loop *loop, dbm__worked *work);
DBM__FN bool dbm__loop_work_recall(dbm_loop *loop, dbm__worked *work); /* true: it had not begun, and neither is called */
/* A failure across threads: `run` keeps the worker's last one, NULL for success or without memory; `done` makes it the loop's thread's last one, frees it, and has `st` back. */
DBM__FN dbm_error_info *dbm__error_keep(dbm__host *host, dbm_status st);
DBM__FN dbm_status dbm__error_kept(dbm__host *host, dbm_error_info *error, dbm_status st);
/* Between loop.c and worker.c. */
DBM__FN void dbm__loop_ask(dbm_loop *loop, bool again);
struct dbm__workers;
DBM__FN struct dbm__workers **dbm__loop_workers(dbm_loop *loop);
DBM__FN void dbm__loop_worker_limits(dbm_loop *loop, int *threads, int *waiting);
DBM__FN bool dbm__loop_forked(dbm_loop *loop);   /* this is a child of the process that made it */
DBM__FN bool dbm__workers_here(dbm_loop *loop);  /* whether the loop's thread has calls to run */
DBM__FN void dbm__workers_run_one(dbm_loop *loop);
DBM__FN void dbm__workers_end(dbm_loop *loop);   /* nothing may be queued */

/* ---- acts: task.c ---- */

/* How a kind of act is ended. */
typedef struct dbm__act_kind {
    void (*stop)(dbm_act *act);          /* asks it to end soon, with E_CANCELLED; it may end otherwise. Called once at the most; NULL: it can't be */
    void (*tell)(dbm_act *act);          /* of the callback form: it has ended. The failure is this thread's last one. NULL: its task is told */
    void (*reap)(dbm_act *act);          /* after it was told: its memory */
} dbm__act_kind;

/* Something that can be awaited; the first field of a larger one. It is under way until dbm__act_done(), and freed by `reap` after it was told. */
struct dbm__act {
    dbm__job job;                        /* task.c's, as all but what is said otherwise */
    union { dbm_task *task; dbm_loop *loop; } of; /* dbm__act_task(), dbm__act_loop() */
    dbm_act *next, **in;                 /* the list of what its task has under way, or its loop */
    const dbm__act_kind *kind;
    dbm_error_info *error;               /* kept from its end until it is told; NULL: none, or no memory for it */
    dbm_status status;                   /* of its end; anybody's to read */
    bool of_loop : 1, done : 1, awaited : 1, stopped : 1, more : 1; /* `done` and `stopped` are anybody's to read */
    unsigned char own[3];                /* of whatever it is the first field of */
};
/* Memory for an act, by dbm__loop_take(), all zero; NULL: there is none, which is this thread's last failure. `reap` gives it back by dbm__loop_give(). */
DBM__FN void *dbm__act_take(dbm_loop *loop, size_t size, const char *site);
DBM__FN bool dbm__fn_given(bool given, const char *site); /* false, and MISUSE: the program's function is NULL */
/* In the name of a task (of the one that runs now, if any: a child may use its parent's session), whose list it joins, or, with `task` NULL, of the callback form: then it holds the loop until it was told (when
 * dbm__loop_ends(), those are refused before: E_CLOSED). */
DBM__FN void dbm__act_begin(dbm_act *act, dbm_loop *loop, dbm_task *task, const dbm__act_kind *kind);
/* Exactly once, also within the call that began it: nobody is told in here. For a failure: this thread's last. */
DBM__FN void dbm__act_done(dbm_act *act, dbm_status st);
DBM__FN void dbm__act_stop(dbm_act *act);
DBM__FN dbm_loop *dbm__task_loop(dbm_task *task);
DBM__FN dbm_loop *dbm__task_given(dbm_task *t, const char *call, const char *site); /* the same, for a call that was given it; NULL, and MISUSE: it is NULL */
DBM__FN dbm_task *dbm__task_current(dbm_loop *loop); /* whose function runs now, or NULL */
DBM__FN dbm_act *dbm__task_awaits(const dbm_task *t); /* what it awaits, or has awaited and not looked at; or NULL */
DBM__FN int64_t dbm__task_limit(dbm_task *task); /* when what it begins now is to be over: the deadline of it, or of one that it is a child of; INT64_MIN: it was asked to end */
DBM__INLINE dbm_task *dbm__act_task(const dbm_act *act) { return act->of_loop ? NULL : act->of.task; }
DBM__INLINE dbm_loop *dbm__act_loop(const dbm_act *act) { return act->of_loop ? act->of.loop : dbm__task_loop(act->of.task); }

/* What ends with its task, a session: in the reverse of the order in which they were begun. */
typedef struct dbm__owned {
    struct dbm__owned *next;
    /* Begins its end, as an act of the task (which was never to be awaited by anybody else): commits, or, when the task failed, rolls back, and gives
     * back. It is not owned any more. NULL: it ended without one; then *st is how, a failure being this thread's last. */
    dbm_act *(*end)(struct dbm__owned *owned, dbm_task *task, bool failed, dbm_status *st);
} dbm__owned;
DBM__FN void dbm__task_owns(dbm_task *task, dbm__owned *owned);
DBM__FN void dbm__task_disowns(dbm_task *task, dbm__owned *owned); /* also when it is not owned */

#endif /* DBM_HAS_ASYNC */
#endif /* DBM__ASYNC_H */
