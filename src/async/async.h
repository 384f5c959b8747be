/* The asynchronous half: what its files tell one another.
 * May call: api/, base/, net/, adapter/, pool/, sql/, session/, data/, manager/.
 * Must not know: any driver.
 *
 *     loop     watches descriptors and times, runs jobs, is woken from other threads        knows: jobs, watches
 *     workers  run blocking calls, a lane of them in order                                  knows: loop
 *     acts     whatever can be awaited: a call of a session, a join, a sleep                knows: loop, session
 *     tasks    straight-line code that awaits acts                                          knows: loop, acts
 *
 * Everything but dbm__loop_post() belongs to the loop's thread. An act ends by one dbm__act_done(), never inside the call that made it. */
#ifndef DBM__ASYNC_H
#define DBM__ASYNC_H
#include "../session/session.h"
#if DBM_HAS_ASYNC

/* ---- loop.c ---- */

/* Something to do soon. It belongs to whoever made it, and is free again when `run` is called. */
typedef struct dbm__job {
    struct dbm__job *next;
    void (*run)(struct dbm__job *job);
} dbm__job;
/* In this turn of the loop, after what runs now; in order. Jobs that make jobs can't starve it: after some hundred in a turn it looks at its descriptors. */
DBM__FN void dbm__loop_soon(dbm_loop *loop, dbm__job *job);
DBM__FN void dbm__loop_post(dbm_loop *loop, dbm__job *job); /* from any thread: wakes the loop; in order. May be called under a lock */

/* A wait for a descriptor, a time, or whichever is first; tells once. Memory of whoever waits. */
typedef struct dbm__watch {
    void (*heard)(struct dbm__watch *w, dbm_status heard); /* DBM_OK: ready, or hung up; DBM_E_TIMEOUT: the time came; else why it can't be watched */
    struct dbm__watch *next;             /* the loop's */
    int64_t until_us;
    int fd, want;                        /* fd -1: only the time */
    int timer;                           /* its place among the times; -1: none */
} dbm__watch;
DBM__FN void dbm__watch_init(dbm__watch *w, void (*heard)(dbm__watch *w, dbm_status heard));
DBM__FN void dbm__loop_watch(dbm_loop *loop, dbm__watch *w, int fd, int want, int64_t until_us); /* want: DBM_STEP_READ, _WRITE or both; until INT64_MAX: for ever */
DBM__FN void dbm__loop_unwatch(dbm_loop *loop, dbm__watch *w); /* also when it is not watched */
/* Before a driver closes a descriptor, the loop forgets it. */
DBM__FN void dbm__loop_forget(dbm_loop *loop, int fd);
/* Called when the next wait would begin: what became ready in a turn leaves in one send. */
DBM__FN void dbm__loop_at_turn_end(dbm_loop *loop, dbm__job *job);

/* What keeps dbm_loop_run() going: each task and each act under way. */
DBM__FN void dbm__loop_hold(dbm_loop *loop);
DBM__FN void dbm__loop_release(dbm_loop *loop);
DBM__FN dbm_manager *dbm__loop_manager(dbm_loop *loop);
DBM__FN dbm__host *dbm__loop_host(dbm_loop *loop);
/* What tasks and acts keep with their loop; all zero when it is made. */
typedef struct dbm__tasks {
    struct dbm__act *first;              /* tasks that dbm_spawn() started, and acts of the callback form: under way, or not told yet */
    dbm_task *spare;                     /* ended ones */
#define DBM__SPARE_SIZES 24
    void *spares[DBM__SPARE_SIZES];      /* memory of ended acts, by size */
    bool closing;
    int running;                         /* for the loop's statistics: tasks now, and ever; children are tasks, too */
    uint64_t begun, failed;
} dbm__tasks;
DBM__FN dbm__tasks *dbm__loop_tasks(dbm_loop *loop);
/* dbm_loop_free(): asks all of them to end, with E_CLOSED; then turns of the loop until nothing holds it; then their memory goes. */
DBM__FN void dbm__tasks_close(dbm_loop *loop);
DBM__FN void dbm__tasks_free(dbm_loop *loop);

/* ---- worker.c ---- */

/* A blocking call. `run` on a worker, then `done` on the loop. Works of one lane run one at a time, in order (a session is a lane). */
typedef struct dbm__lane { struct dbm__worked *first, *last; bool busy; } dbm__lane;
typedef struct dbm__worked {
    dbm__job job;
    struct dbm__worked *next;
    dbm__lane *lane;                     /* NULL: beside all others */
    dbm_loop *loop;
    void (*run)(struct dbm__worked *work);  /* on a worker thread; without threads: on the loop's, when it has nothing else to do */
    void (*done)(struct dbm__worked *work); /* on the loop */
} dbm__worked;
/* DBM_E_LIMIT when the queue is full, NOMEM when no worker could be started; then neither is called. */
DBM__FN dbm_status dbm__loop_work(dbm_loop *loop, dbm__worked *work, dbm__lane *lane);
DBM__FN bool dbm__loop_work_recall(dbm_loop *loop, dbm__worked *work); /* true: it had not begun, and neither is called */

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
    bool of_loop : 1, done : 1, awaited : 1, stopped : 1; /* `done` and `stopped` are anybody's to read */
    unsigned char own[3];                /* of whatever it is the first field of */
};
/* Memory for an act, all zero, from what ended ones left; NULL: there is none, which is this thread's last failure. `give` is what `reap` ends with. */
DBM__FN void *dbm__act_take(dbm_loop *loop, size_t size, const char *site);
DBM__FN void dbm__act_give(dbm_loop *loop, void *act, size_t size);
/* In the name of a task, whose list it joins, or, with `task` NULL, of the callback form: then it holds the loop until it was told. */
DBM__FN void dbm__act_begin(dbm_act *act, dbm_loop *loop, dbm_task *task, const dbm__act_kind *kind);
/* Exactly once, also within the call that began it: nobody is told in here. For a failure: this thread's last. */
DBM__FN void dbm__act_done(dbm_act *act, dbm_status st);
DBM__FN void dbm__act_stop(dbm_act *act);
DBM__FN dbm_loop *dbm__task_loop(dbm_task *task);
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
