/* Tasks and what they await: how they are resumed, joined, cancelled and ended.
 * May call: api/, base/, async.h.
 * Must not know: statements.
 *
 * What is under way is a tree. Its first level, in the loop, are the tasks that dbm_spawn() started and the acts of the callback form; below each task
 * are the acts that it has begun and not awaited, children among them, for a task is itself an act. What a task awaits stands first in its list. It is
 * resumed by the job of that act, so by the loop alone: nothing here calls a task's function but dbm__task_go().
 *
 *     BODY --- the function says DONE or FAILED ---> ACTS: all in the list end ---> OWNED: sessions end, in reverse ---> CLEAN_UP: the function, at
 *     DBM_TASK_FINALLY ---> LAST_ACTS ---> LAST_OWNED ---> OVER: it is told, and its slot is spare
 *
 * A slot is never anything but a task, until the loop is freed: so a handle can look at its generation. */
#include "async.h"
#if DBM_HAS_ASYNC

enum { DBM__IN_BODY = 0, DBM__IN_ACTS, DBM__IN_OWNED, DBM__IN_CLEAN_UP, DBM__IN_LAST_ACTS, DBM__IN_LAST_OWNED, DBM__IN_OVER };
#define DBM__AT_FINALLY 0xffffffffu
#define DBM__AWAITS_AT_ONCE 64 /* this many awaits that need not wait, and then the others have a turn */

/* What few tasks need. */
typedef struct dbm__task_more {
    dbm__watch watch;                    /* first */
    dbm_task *task;
    const char *site;
    int64_t until_us, await_until_us;    /* of the body, and of the await that is under way; INT64_MAX: no limit */
    int64_t armed_us;                    /* when it wakes */
    bool late;                           /* await_until_us has passed */
    void (*on_end)(void *ud, dbm_status status, const dbm_error_info *error);
    void *on_end_ud;
} dbm__task_more;

struct dbm_task {
    dbm_act act;                         /* its end. own[0]: where it is; own[1]: why it was asked to end; own[2]: awaits until it yields */
    dbm_loop *loop;
    dbm_task_fn fn;
    void *data;
    dbm_act *acts;
    dbm__owned *owned;
    union { const char *site; dbm__task_more *more; dbm_task *next; } u; /* more: when act.more; next: among the spare ones */
    uint32_t at;                         /* where the function goes on; in ACTS: how many have not ended */
    uint32_t gen;
};
#define DBM__WHERE act.own[0]
#define DBM__ASKED act.own[1]
#define DBM__CREDIT act.own[2]

/* What there is one of in a loop: made with the first act. */
typedef struct dbm__tasks {
    dbm_act *first;                      /* tasks that dbm_spawn() started, and acts of the callback form: under way, or not told yet */
    dbm_task *current;                   /* whose function runs now */
    dbm_task *spare;                     /* ended ones */
    dbm_task_stats_info stats;
} dbm__tasks;

typedef struct dbm__joined { dbm_act act; size_t left; } dbm__joined; /* dbm_async_all(); left: acts that it still waits for */

static void dbm__task_stop(dbm_act *act);
static void dbm__task_told(dbm_act *act);
static void dbm__task_reap(dbm_act *act);
static void dbm__task_go(dbm_task *t);
static void dbm__tasks_end(dbm_loop *loop);
static void dbm__joined_stop(dbm_act *act);
static void dbm__joined_reap(dbm_act *act);
static const dbm__act_kind dbm__child_kind = { dbm__task_stop, NULL, dbm__task_reap };
static const dbm__act_kind dbm__spawned_kind = { dbm__task_stop, dbm__task_told, dbm__task_reap };
static const dbm__act_kind dbm__joined_kind = { dbm__joined_stop, NULL, dbm__joined_reap };

static bool dbm__failing(dbm_status st) { return st > DBM_ROLLED_BACK; }
static bool dbm__is_task(const dbm_act *act) { return act->kind == &dbm__child_kind || act->kind == &dbm__spawned_kind; }
static dbm__tasks *dbm__tasks_of(dbm_loop *loop) { return (dbm__tasks *)*dbm__loop_of_tasks(loop); }
static const char *dbm__task_site(const dbm_task *t) { return t->act.more ? t->u.more->site : t->u.site; }
/* Whether it waits for all that is below it, to go on when that has ended. */
static bool dbm__task_settles(const dbm_task *t) { return t->DBM__WHERE == DBM__IN_ACTS || t->DBM__WHERE == DBM__IN_LAST_ACTS; }
DBM__FN dbm_act *dbm__task_awaits(const dbm_task *t) { return t->acts != NULL && t->acts->awaited ? t->acts : NULL; }
static dbm__joined *dbm__task_joins(const dbm_task *t) {
    return t->acts != NULL && t->acts->kind == &dbm__joined_kind && !t->acts->done ? (dbm__joined *)t->acts : NULL;
}

DBM__FN dbm_loop *dbm__task_loop(dbm_task *t) { return t->loop; }
DBM__FN DBM__NOINLINE dbm_loop *dbm__task_given(dbm_task *t, const char *call, const char *site) {
    if (t == NULL) (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", site, "%s: the task is NULL; pass on the one that the function of the task was called with", call);
    return t != NULL ? t->loop : NULL;
}
DBM__FN dbm_task *dbm__task_current(dbm_loop *loop) { return dbm__tasks_of(loop) != NULL ? dbm__tasks_of(loop)->current : NULL; }

/* ---- acts --------------------------------------------------------------------------------------------------------------- */

static bool dbm__tasks_made(dbm_loop *loop) {
    void **tasks = dbm__loop_of_tasks(loop);
    if (*tasks == NULL && (*tasks = dbm__alloc_zero(dbm__loop_host(loop), sizeof(dbm__tasks))) != NULL) dbm__loop_at_end(loop, dbm__tasks_end);
    return *tasks != NULL;
}

DBM__FN void *dbm__act_take(dbm_loop *loop, size_t size, const char *site) {
    void *p = dbm__tasks_made(loop) ? dbm__loop_take(loop, size) : NULL;
    if (p != NULL) memset(p, 0, size);
    else (void)dbm__no_memory(DBM_STAGE_NONE, "", site);
    return p;
}

DBM__FN bool dbm__fn_given(bool given, const char *site) {
    if (!given) (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", site, "the function that is to be called is NULL");
    return given;
}

static void dbm__act_link(dbm_act *act, dbm_act **in) {
    act->next = *in;
    act->in = in;
    if (act->next != NULL) act->next->in = &act->next;
    *in = act;
}

static void dbm__act_unlink(dbm_act *act) {
    *act->in = act->next;
    if (act->next != NULL) act->next->in = act->in;
}

DBM__FN void dbm__act_begin(dbm_act *act, dbm_loop *loop, dbm_task *t, const dbm__act_kind *kind) {
    act->kind = kind;
    if (t == NULL) {
        act->of.loop = loop;
        act->of_loop = true;
        dbm__act_link(act, &dbm__tasks_of(loop)->first);
        dbm__loop_hold(loop);
        return;
    }
    if (dbm__tasks_of(loop)->current != NULL) t = dbm__tasks_of(loop)->current;
    act->of.task = t;
    if (dbm__task_settles(t)) t->at++;
    if (dbm__task_joins(t) != NULL) dbm__task_joins(t)->left++;
    dbm__act_link(act, dbm__task_awaits(t) != NULL ? &t->acts->next : &t->acts);
}

/* It ends with this; a failure is this thread's last one. The first failure stays. */
static void dbm__act_fails(dbm_act *act, dbm_status st) {
    if (dbm__failing(act->status)) return;
    act->status = st;
    if (!dbm__failing(st)) return;
    if (dbm__self()->last.status != st) (void)dbm__fail(st, DBM_STAGE_NONE, "", "", NULL);
    act->error = dbm__error_keep(dbm__loop_host(dbm__act_loop(act)), st);
}

/* The same with the failure of another. */
static void dbm__act_fails_as(dbm_act *act, dbm_act *other) {
    if (dbm__failing(act->status)) return;
    act->status = other->status;
    act->error = other->error;
    other->error = NULL;
}

static dbm_status dbm__act_fail_again(const dbm_act *act) {
    if (act->error != NULL) return dbm__fail_again(act->error);
    return dbm__failing(act->status) ? dbm__fail(act->status, DBM_STAGE_NONE, "", "", NULL) : act->status;
}

/* It was told, or nobody wants to know. */
static void dbm__act_drop(dbm_act *act) {
    dbm__act_unlink(act);
    if (act->error != NULL) dbm__free(dbm__loop_host(dbm__act_loop(act)), act->error);
    act->error = NULL;
    act->kind->reap(act);
}

static void dbm__act_tell(dbm__job *job) {
    dbm_act *act = (dbm_act *)job;
    dbm_loop *loop = act->of.loop;
    (void)dbm__act_fail_again(act);
    act->kind->tell(act);
    dbm__act_drop(act);
    dbm__loop_release(loop);
}

static void dbm__act_resume(dbm__job *job) { dbm__task_go(((dbm_act *)job)->of.task); }
static void dbm__task_resume(dbm__job *job) { dbm__task_go((dbm_task *)job); }

static void dbm__soon(dbm_act *act, void (*run)(dbm__job *job)) {
    act->job.run = run;
    dbm__loop_soon(dbm__act_loop(act), &act->job);
}

DBM__FN void dbm__act_stop(dbm_act *act) {
    if (act->done || (act->stopped && !dbm__is_task(act) && act->kind != &dbm__joined_kind)) return; /* a clean-up is asked when the loop ends */
    act->stopped = true;
    if (act->kind->stop != NULL) act->kind->stop(act);
}

static void dbm__acts_stop(dbm_act *first) {
    for (; first != NULL; first = first->next) dbm__act_stop(first);
}

/* Somebody is told, soon. */
static void dbm__act_ended(dbm_act *act) {
    dbm_task *t;
    dbm__joined *joined;
    act->done = true;
    if (act->of_loop) {
        dbm__soon(act, dbm__act_tell);
        return;
    }
    t = act->of.task;
    joined = dbm__task_joins(t);
    if (act->awaited) {
        dbm__soon(act, dbm__act_resume);
    } else if (dbm__task_settles(t)) {
        if (dbm__failing(act->status) && !dbm__failing(t->act.status)) {
            dbm__act_fails_as(&t->act, act);
            dbm__acts_stop(t->acts);
        }
        if (--t->at == 0) dbm__soon(&t->act, dbm__task_resume);
    } else if (joined != NULL) {
        if (dbm__failing(act->status) && !dbm__failing(joined->act.status)) {
            dbm__act_fails_as(&joined->act, act);
            dbm__acts_stop(joined->act.next);
        }
        if (--joined->left == 0) dbm__act_ended(&joined->act);
    }
}

DBM__FN void dbm__act_done(dbm_act *act, dbm_status st) {
    DBM_ASSERT(!act->done);
    dbm__act_fails(act, st);
    dbm__act_ended(act);
}

/* ---- asked to end ------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__asked_fail(const dbm_task *t, int why) {
    return dbm__fail((dbm_status)why, DBM_STAGE_NONE, "", dbm__task_site(t), "%s",
                     why == DBM_E_TIMEOUT ? "the deadline of the task, or of what it awaited, passed"
                     : why == DBM_E_CLOSED ? "the loop of the task is being freed" : "the task was cancelled");
}

/* Down the chain of children that await one another; only what runs side by side takes stack. The clean-up is not disturbed, but when the loop ends; the end of a
 * session goes on, but not for long where it is a rollback. */
static void dbm__task_ask(dbm_task *t, dbm_status why) {
    dbm_act *act;
    for (;;) {
        if (t->DBM__WHERE == DBM__IN_OVER || t->DBM__ASKED == DBM_E_CLOSED) return;
        if (why != DBM_E_CLOSED && t->DBM__WHERE == DBM__IN_OWNED && dbm__task_awaits(t) != NULL) dbm__act_stop(dbm__task_awaits(t));
        if (why != DBM_E_CLOSED && (t->DBM__WHERE > DBM__IN_ACTS || t->DBM__ASKED != DBM_OK)) return;
        t->DBM__ASKED = (unsigned char)why;
        if (dbm__task_settles(t)) {
            dbm__act_fails(&t->act, dbm__asked_fail(t, why));
            dbm__acts_stop(t->acts);
            return;
        }
        act = dbm__task_awaits(t);
        if (act == NULL || act->done) return;
        if (!dbm__is_task(act)) {
            dbm__act_stop(act);
            if (!act->done) dbm__acts_stop(t->acts); /* it may have its turn after another one of them */
            return;
        }
        act->stopped = true;
        t = (dbm_task *)act;
        if (why != DBM_E_CLOSED) why = DBM_E_CANCELLED;
    }
}

DBM__FN int64_t dbm__task_limit(dbm_task *t) {
    int64_t limit = INT64_MAX;
    for (; t->DBM__WHERE < DBM__IN_CLEAN_UP; t = t->act.of.task) { /* a clean-up, and what runs for it, has no limit */
        if (t->DBM__ASKED != DBM_OK) return INT64_MIN;
        if (t->act.more && t->u.more->until_us < limit) limit = t->u.more->until_us;
        if (t->act.of_loop) break;
    }
    return limit;
}

static void dbm__task_stop(dbm_act *act) { dbm__task_ask((dbm_task *)act, dbm__loop_ends(dbm__act_loop(act)) ? DBM_E_CLOSED : DBM_E_CANCELLED); }

/* Whether its awaits fail. */
static bool dbm__task_asked(const dbm_task *t) { return t->DBM__ASKED != DBM_OK && (t->DBM__WHERE == DBM__IN_BODY || t->DBM__ASKED == DBM_E_CLOSED); }

static void dbm__tasks_end(dbm_loop *loop) {
    dbm__tasks *tasks = dbm__tasks_of(loop);
    dbm_act *act;
    while (tasks->spare != NULL) {
        dbm_task *t = tasks->spare;
        tasks->spare = t->u.next;
        dbm__free(dbm__loop_host(loop), t);
    }
    for (act = dbm__loop_forked(loop) ? NULL : tasks->first; act != NULL; act = act->next) {
        if (dbm__is_task(act)) dbm__task_ask((dbm_task *)act, DBM_E_CLOSED);
        else dbm__act_stop(act);
    }
}

typedef struct dbm__cancelling { dbm__job job; dbm_task_handle handle; } dbm__cancelling;

static void dbm__cancel_now(dbm__job *job) {
    dbm__cancelling *c = (dbm__cancelling *)job;
    dbm_task *t = (dbm_task *)c->handle.slot;
    if (!dbm__loop_ends(c->handle.loop) && t->gen == c->handle.gen) dbm__task_ask(t, DBM_E_CANCELLED); /* when it ends, all were asked, and slots go */
    dbm__free(dbm__loop_host(c->handle.loop), c);
}

DBM__DEF dbm_status dbm_task_cancel(dbm_task_handle handle) {
    dbm__cancelling *c;
    if (handle.loop == NULL) return dbm__fail_null("dbm_task_cancel: the handle is empty; dbm_spawn gives one of a task that was started", NULL);
    if (dbm__loop_forked(handle.loop)) return dbm__loop_alive(handle.loop, NULL);
    c = (dbm__cancelling *)dbm__alloc(dbm__loop_host(handle.loop), sizeof *c);
    if (c == NULL) return dbm__no_memory(DBM_STAGE_NONE, "", "");
    c->handle = handle;
    c->job.run = dbm__cancel_now;
    dbm__loop_post(handle.loop, &c->job);
    return DBM_OK;
}

DBM__DEF void dbm_async_cancel(dbm_act *act) {
    if (act != NULL) dbm__act_stop(act);
}

/* ---- deadlines ---------------------------------------------------------------------------------------------------------- */

static void dbm__more_arm(dbm__task_more *m) {
    int64_t until = m->until_us < m->await_until_us ? m->until_us : m->await_until_us;
    dbm_loop *loop = m->task->loop;
    if (until >= m->armed_us) return; /* it wakes early, and looks again */
    dbm__loop_unwatch(loop, &m->watch);
    m->armed_us = until;
    dbm__loop_watch(loop, &m->watch, -1, 0, until);
}

static void dbm__more_heard(dbm__watch *w, dbm_status heard) {
    dbm__task_more *m = (dbm__task_more *)w;
    dbm_task *t = m->task;
    int64_t now = dbm__now(dbm__loop_host(t->loop));
    (void)heard;
    m->armed_us = INT64_MAX;
    if (m->await_until_us <= now) {
        m->await_until_us = INT64_MAX;
        m->late = true; /* of the await that is under way, which ends this limit when it is over */
        dbm__act_stop(t->acts);
    }
    if (m->until_us <= now) {
        m->until_us = INT64_MAX;
        dbm__task_ask(t, DBM_E_TIMEOUT);
    }
    dbm__more_arm(m);
}

static void dbm__task_more_put(dbm_task *t, dbm__task_more *m) {
    dbm__watch_init(&m->watch, dbm__more_heard);
    m->task = t;
    m->site = t->u.site;
    m->until_us = m->await_until_us = m->armed_us = INT64_MAX;
    t->u.more = m;
    t->act.more = true;
}

static bool dbm__task_more_make(dbm_task *t) {
    dbm__task_more *m = t->act.more ? NULL : (dbm__task_more *)dbm__act_take(t->loop, sizeof *m, t->u.site);
    if (m != NULL) dbm__task_more_put(t, m);
    return t->act.more;
}

DBM__DEF dbm_status dbm_task_deadline(dbm_task *t, int ms) {
    if (dbm__task_given(t, "dbm_task_deadline", NULL) == NULL || !dbm__task_more_make(t)) return dbm__self()->last.status;
    t->u.more->until_us = dbm__deadline(dbm__loop_host(t->loop), ms);
    dbm__more_arm(t->u.more);
    return DBM_OK;
}

/* ---- awaiting ----------------------------------------------------------------------------------------------------------- */

static void dbm__joined_begin(dbm__joined *joined) {
    dbm_act *act;
    joined->act.done = false;
    joined->left = 1; /* so that none of those that are stopped here is the last */
    for (act = joined->act.next; act != NULL; act = act->next) {
        if (!act->done) joined->left++;
        else if (dbm__failing(act->status)) dbm__act_fails_as(&joined->act, act);
    }
    if (dbm__failing(joined->act.status)) dbm__acts_stop(joined->act.next);
    joined->act.done = --joined->left == 0;
}

static void dbm__joined_stop(dbm_act *act) { dbm__acts_stop(act->next); }

static void dbm__joined_reap(dbm_act *act) {
    dbm_task *t = act->of.task;
    while (t->acts != NULL && t->acts->done) dbm__act_drop(t->acts); /* it is not in the list any more */
    dbm__loop_give(t->loop, act, sizeof(dbm__joined));
}

DBM__DEF dbm_act *dbm__async_all(dbm_task *t, const char *site) {
    dbm_loop *loop = dbm__task_given(t, "dbm_async_all", site);
    dbm__joined *joined = loop != NULL ? (dbm__joined *)dbm__act_take(loop, sizeof *joined, site) : NULL;
    if (joined == NULL) return NULL;
    dbm__act_begin(&joined->act, loop, t, &dbm__joined_kind);
    joined->act.done = true; /* until it is awaited */
    return &joined->act;
}

DBM__DEF long long dbm__task_at(dbm_task *t) { return t == NULL ? -1 : t->at == 0 ? 0 : t->at == DBM__AT_FINALLY ? DBM__TASK_FINALLY : DBM__TASK_LABEL(t->at); }

/* Where the function lands when it can't go on there. */
DBM__DEF dbm_task_status dbm__task_over(dbm_task *t) {
    if (dbm__task_given(t, "DBM_TASK_BEGIN", NULL) == NULL) return DBM_TASK_FAILED;
    if (t->at == DBM__AT_FINALLY) return DBM_TASK_DONE;
    return dbm_task_fail(t, dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", dbm__task_site(t), "an await of this task stands in a switch of its own"));
}

/* Before an await begins anything: whether it may. */
DBM__DEF bool dbm__await_at(dbm_task *t, int at) {
    t->at = (uint32_t)at;
    if (!dbm__task_asked(t)) return true;
    (void)dbm__asked_fail(t, t->DBM__ASKED);
    return false;
}

/* Whether the function must return, to be called again when the act has ended. If not, dbm__awaited() tells at once. */
DBM__DEF bool dbm__await(dbm_task *t, dbm_act *act, const char *site) {
    if (act == NULL || act->of_loop || act->of.task != t || act->awaited) {
        if (act != NULL || !dbm__failing(dbm__self()->last.status))
            (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", site, "a task can only await what it has begun itself, and once");
        return dbm__task_asked(t) && t->DBM__CREDIT-- == 0; /* it does not hear that it should end: it is not called again */
    }
    if (t->acts != act) {
        dbm__act_unlink(act);
        dbm__act_link(act, &t->acts);
    }
    if (act->kind == &dbm__joined_kind) dbm__joined_begin((dbm__joined *)act);
    act->awaited = true;
    if (!act->done) return true;
    if (t->DBM__CREDIT > 0) {
        t->DBM__CREDIT--;
        return false;
    }
    act->job.run = dbm__act_resume;
    dbm__loop_at_turn_end(t->loop, &act->job);
    return true;
}

DBM__DEF bool dbm__await_within(dbm_task *t, int ms, dbm_act *act, const char *site) {
    if (act != NULL && !dbm__task_more_make(t)) {
        dbm__act_stop(act);
        act = NULL;
    }
    if (!dbm__await(t, act, site)) return false;
    if (act == NULL || t->acts != act) return true; /* there is nothing to limit */
    t->u.more->await_until_us = dbm__deadline(dbm__loop_host(t->loop), ms);
    dbm__more_arm(t->u.more);
    return true;
}

/* How the await ended that is over now; a failure is this thread's last one. */
DBM__DEF dbm_status dbm__awaited(dbm_task *t) {
    dbm_act *act = dbm__task_awaits(t);
    dbm_status st;
    bool late = false;
    if (act == NULL) return dbm__self()->last.status; /* it did not begin */
    if (t->act.more) {
        late = t->u.more->late;
        t->u.more->late = false;
        t->u.more->await_until_us = INT64_MAX;
    }
    st = dbm__act_fail_again(act);
    if (st == DBM_E_CANCELLED && act->stopped && (late || dbm__task_asked(t))) st = dbm__asked_fail(t, late ? (int)DBM_E_TIMEOUT : t->DBM__ASKED);
    dbm__act_drop(act);
    return st;
}

DBM__DEF bool dbm__await_maybe(dbm_task *t, bool made) { return (made || dbm__task_awaits(t) != NULL) && dbm__await_failed(t); }

DBM__DEF bool dbm__await_failed(dbm_task *t) {
    dbm_status st = dbm__awaited(t);
    if (dbm__failing(st)) dbm__act_fails(&t->act, st);
    return dbm__failing(st);
}

/* ---- tasks -------------------------------------------------------------------------------------------------------------- */

static void dbm__task_told(dbm_act *act) {
    dbm_task *t = (dbm_task *)act;
    const dbm_error_info *error = dbm__failing(act->status) ? dbm_last_error() : NULL;
    if (act->more && t->u.more->on_end != NULL)
        t->u.more->on_end(t->u.more->on_end_ud, act->status, act->error != NULL ? act->error : error);
    else if (error != NULL)
        dbm__event(dbm__loop_host(act->of.loop), DBM_EVENT_TASK_FAILED, DBM_LOG_WARNING, error->database, dbm__task_site(t), act->status, 0,
                   "the task that was started at %s failed: %s", dbm__task_site(t), error->message);
}

static void dbm__task_reap(dbm_act *act) {
    dbm_task *t = (dbm_task *)act;
    dbm_loop *loop = dbm__act_loop(act);
    dbm__tasks *tasks = dbm__tasks_of(loop);
    if (act->more) dbm__loop_give(loop, t->u.more, sizeof *t->u.more);
    if (dbm__loop_ends(loop)) {
        dbm__free(dbm__loop_host(loop), t);
        return;
    }
    t->gen++;
    t->u.next = tasks->spare;
    tasks->spare = t;
}

static dbm_task *dbm__task_new(dbm_loop *loop, dbm_task *parent, dbm_task_fn fn, void *data, const char *site) {
    dbm__tasks *tasks;
    dbm_task *t = NULL;
    uint32_t gen;
    if (!dbm__fn_given(fn != NULL, site) || dbm__loop_alive(loop, site) != DBM_OK) return NULL;
    if (dbm__tasks_made(loop) && (t = dbm__tasks_of(loop)->spare) == NULL) t = (dbm_task *)dbm__alloc_zero(dbm__loop_host(loop), sizeof *t);
    if (t == NULL) {
        (void)dbm__no_memory(DBM_STAGE_NONE, "", site);
        return NULL;
    }
    tasks = dbm__tasks_of(loop);
    if (t == tasks->spare) tasks->spare = t->u.next;
    gen = t->gen;
    memset(t, 0, sizeof *t);
    t->gen = gen;
    t->loop = loop;
    t->fn = fn;
    t->data = data;
    t->u.site = site;
    tasks->stats.begun++;
    tasks->stats.running++;
    dbm__act_begin(&t->act, loop, parent, parent != NULL ? &dbm__child_kind : &dbm__spawned_kind);
    dbm__soon(&t->act, dbm__task_resume);
    return t;
}

DBM__DEF dbm_task_handle dbm__spawn(dbm_loop *loop, dbm_task_fn fn, void *data, const dbm_spawn_options *options, const char *site) {
    dbm_task_handle handle;
    dbm__task_more *more = NULL;
    dbm_task *t;
    memset(&handle, 0, sizeof handle);
    if (loop == NULL) {
        (void)dbm__fail_null("dbm_spawn: the loop is NULL; dbm_loop_create makes one", site);
        return handle;
    }
    if (options != NULL && (more = (dbm__task_more *)dbm__act_take(loop, sizeof *more, site)) == NULL) return handle;
    t = dbm__task_new(loop, NULL, fn, data, site);
    if (t == NULL) {
        if (more != NULL) dbm__loop_give(loop, more, sizeof *more);
        return handle;
    }
    if (more != NULL) {
        more->on_end = options->on_end;
        more->on_end_ud = options->on_end_ud;
        dbm__task_more_put(t, more);
        if (options->deadline_ms > 0) (void)dbm_task_deadline(t, options->deadline_ms);
    }
    handle.loop = loop;
    handle.slot = t;
    handle.gen = t->gen;
    return handle;
}

DBM__DEF dbm_act *dbm__async_task(dbm_task *t, dbm_task_fn fn, void *data, const char *site) {
    dbm_task *child = dbm__task_given(t, "dbm_async_task", site) != NULL ? dbm__task_new(t->loop, t, fn, data, site) : NULL;
    return child != NULL ? &child->act : NULL;
}

DBM__FN void dbm__task_owns(dbm_task *t, dbm__owned *owned) {
    owned->next = t->owned;
    t->owned = owned;
}

DBM__FN void dbm__task_disowns(dbm_task *t, dbm__owned *owned) {
    dbm__owned **at = &t->owned;
    while (*at != NULL && *at != owned) at = &(*at)->next;
    if (*at != NULL) *at = owned->next;
}

DBM__DEF void *dbm__task_data(dbm_task *t) { return t != NULL ? t->data : (void *)dbm__task_given(t, "dbm_task_data", NULL); }
DBM__DEF dbm_loop *dbm_task_loop(dbm_task *t) { return dbm__task_given(t, "dbm_task_loop", NULL); }
DBM__DEF dbm_status dbm_task_outcome(dbm_task *t) { return dbm__task_given(t, "dbm_task_outcome", NULL) != NULL ? dbm__act_fail_again(&t->act) : DBM_E_MISUSE; }

DBM__DEF dbm_task_status dbm_task_fail(dbm_task *t, dbm_status st) {
    if (dbm__task_given(t, "dbm_task_fail", NULL) != NULL) dbm__act_fails(&t->act, dbm__failing(st) ? st : dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", dbm__task_site(t), "a task failed without a failure"));
    return DBM_TASK_FAILED;
}

DBM__DEF void dbm_task_stats(dbm_loop *loop, dbm_task_stats_info *out) {
    if (out == NULL) return;
    memset(out, 0, sizeof *out);
    if (loop != NULL && dbm__tasks_of(loop) != NULL) *out = dbm__tasks_of(loop)->stats;
}

/* The function, until it waits (true) or is over. */
static bool dbm__task_runs(dbm_task *t) {
    dbm__tasks *tasks = dbm__tasks_of(t->loop);
    dbm_task_status said;
    t->DBM__CREDIT = DBM__AWAITS_AT_ONCE;
    tasks->current = t;
    said = t->fn(t);
    tasks->current = NULL;
    if (dbm__loop_forked(t->loop)) return true; /* in there: what the task has under way is the parent's */
    if (said == DBM_TASK_WAITS && dbm__task_awaits(t) != NULL) return true;
    if (t->DBM__ASKED != DBM_OK && t->DBM__WHERE == DBM__IN_BODY) dbm__act_fails(&t->act, dbm__asked_fail(t, t->DBM__ASKED));
    if (said != DBM_TASK_DONE && !dbm__failing(t->act.status))
        (void)dbm_task_fail(t, dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", dbm__task_site(t),
                                         "a task's function can only return what the macros and dbm_task_fail() do"));
    return false;
}

/* Whether something is under way that it has not awaited. */
static bool dbm__task_waits_for_all(dbm_task *t) {
    dbm_act *act;
    t->at = 1; /* so that none of those that are stopped here is the last */
    for (act = t->acts; act != NULL; act = act->next) {
        if (!act->done) t->at++;
        else if (dbm__failing(act->status)) dbm__act_fails_as(&t->act, act);
    }
    if (dbm__failing(t->act.status) || t->DBM__ASKED == DBM_E_CLOSED) dbm__acts_stop(t->acts);
    return --t->at > 0;
}

/* Whether a session's end is under way. */
static bool dbm__task_gives_back(dbm_task *t) {
    for (;;) {
        dbm__owned *owned = t->owned;
        dbm_status st = DBM_OK;
        dbm_act *act = dbm__task_awaits(t);
        if (act != NULL) {
            if (!act->done) return true;
            if (dbm__failing(act->status)) dbm__act_fails_as(&t->act, act);
            dbm__act_drop(act);
        }
        if (owned == NULL) return false;
        t->owned = owned->next;
        act = owned->end(owned, t, dbm__failing(t->act.status), &st);
        if (act != NULL) act->awaited = true;
        else if (dbm__failing(st)) dbm__act_fails(&t->act, st);
    }
}

static void dbm__task_go(dbm_task *t) {
    for (;; t->DBM__WHERE++) switch (t->DBM__WHERE) {
        case DBM__IN_BODY:
        case DBM__IN_CLEAN_UP:
            if (dbm__task_runs(t)) return;
            t->DBM__WHERE++;
            if (dbm__task_waits_for_all(t)) return;
            /* fall through */
        case DBM__IN_ACTS:
        case DBM__IN_LAST_ACTS: /* all have ended */
            while (t->acts != NULL) dbm__act_drop(t->acts);
            break;
        case DBM__IN_OWNED:
        case DBM__IN_LAST_OWNED:
            if (dbm__task_gives_back(t)) return;
            t->at = DBM__AT_FINALLY;
            break;
        default:
            if (t->act.more) dbm__loop_unwatch(t->loop, &t->u.more->watch);
            dbm__tasks_of(t->loop)->stats.running--;
            if (dbm__failing(t->act.status)) dbm__tasks_of(t->loop)->stats.failed++;
            dbm__act_ended(&t->act);
            return;
        }
}

/* ---- yields, sleeps and calls ------------------------------------------------------------------------------------------- */

static void dbm__yield_over(dbm__job *job) { dbm__act_done((dbm_act *)job, DBM_OK); }
static void dbm__yield_reap(dbm_act *act) { dbm__loop_give(dbm__act_loop(act), act, sizeof *act); }
static const dbm__act_kind dbm__yield_kind = { NULL, NULL, dbm__yield_reap };

DBM__DEF dbm_act *dbm__async_yield(dbm_task *t, const char *site) {
    dbm_loop *loop = dbm__task_given(t, "dbm_async_yield", site);
    dbm_act *act = loop != NULL ? (dbm_act *)dbm__act_take(loop, sizeof *act, site) : NULL;
    if (act == NULL) return NULL;
    dbm__act_begin(act, loop, t, &dbm__yield_kind);
    act->job.run = dbm__yield_over;
    dbm__loop_at_turn_end(loop, &act->job);
    return act;
}

typedef struct dbm__sleep { dbm_act act; dbm__watch watch; } dbm__sleep;

static void dbm__sleep_over(dbm__watch *w, dbm_status heard) {
    dbm__sleep *sleep = (dbm__sleep *)(void *)((char *)w - offsetof(dbm__sleep, watch));
    dbm__act_done(&sleep->act, heard == DBM_E_NOMEM ? heard : DBM_OK);
}

static void dbm__sleep_stop(dbm_act *act) {
    dbm__loop_unwatch(dbm__act_loop(act), &((dbm__sleep *)act)->watch);
    dbm__act_done(act, DBM_E_CANCELLED);
}

static void dbm__sleep_reap(dbm_act *act) { dbm__loop_give(dbm__act_loop(act), act, sizeof(dbm__sleep)); }
static const dbm__act_kind dbm__sleep_kind = { dbm__sleep_stop, NULL, dbm__sleep_reap };

DBM__DEF dbm_act *dbm__async_sleep(dbm_task *t, int ms, const char *site) {
    dbm_loop *loop = dbm__task_given(t, "dbm_async_sleep", site);
    dbm__sleep *sleep = loop != NULL ? (dbm__sleep *)dbm__act_take(loop, sizeof *sleep, site) : NULL;
    if (sleep == NULL) return NULL;
    dbm__act_begin(&sleep->act, loop, t, &dbm__sleep_kind);
    dbm__watch_init(&sleep->watch, dbm__sleep_over);
    dbm__loop_watch(loop, &sleep->watch, -1, 0, dbm__deadline(dbm__loop_host(loop), ms > 0 ? ms : 0)); /* what is left of a time may be less than nothing */
    return &sleep->act;
}

typedef struct dbm__called {
    dbm_act act;
    dbm__worked work;
    dbm_status (*fn)(void *ud);
    void *ud;
    dbm_status status;
    dbm_error_info *error;               /* of the worker's thread */
} dbm__called;

static dbm__called *dbm__called_of(dbm__worked *work) { return (dbm__called *)(void *)((char *)work - offsetof(dbm__called, work)); }

static void dbm__called_run(dbm__worked *work) {
    dbm__called *call = dbm__called_of(work);
    call->status = call->fn(call->ud);
    if (dbm__failing(call->status) && dbm__self()->last.status != call->status) (void)dbm__fail(call->status, DBM_STAGE_NONE, "", "", NULL);
    call->error = dbm__error_keep(dbm__loop_host(work->loop), call->status);
}

static void dbm__called_done(dbm__worked *work) {
    dbm__called *call = dbm__called_of(work);
    dbm__act_done(&call->act, dbm__error_kept(dbm__loop_host(work->loop), call->error, call->status));
}

static void dbm__called_stop(dbm_act *act) {
    if (dbm__loop_work_recall(dbm__act_loop(act), &((dbm__called *)act)->work)) dbm__act_done(act, DBM_E_CANCELLED);
}

static void dbm__called_reap(dbm_act *act) { dbm__loop_give(dbm__act_loop(act), act, sizeof(dbm__called)); }
static const dbm__act_kind dbm__called_kind = { dbm__called_stop, NULL, dbm__called_reap };

DBM__DEF dbm_act *dbm__async_call(dbm_task *t, dbm_status (*fn)(void *ud), void *ud, const char *site) {
    dbm_loop *loop = dbm__task_given(t, "dbm_async_call", site);
    dbm__called *call = loop != NULL && dbm__fn_given(fn != NULL, site) ? (dbm__called *)dbm__act_take(loop, sizeof *call, site) : NULL;
    if (call == NULL) return NULL;
    call->fn = fn;
    call->ud = ud;
    call->work.run = dbm__called_run;
    call->work.done = dbm__called_done;
    if (dbm__loop_work(loop, &call->work) != DBM_OK) {
        dbm__loop_give(loop, call, sizeof *call);
        return NULL;
    }
    dbm__act_begin(&call->act, loop, t, &dbm__called_kind);
    return &call->act;
}
#else /* !DBM_HAS_ASYNC: there is no task, so but one of these can be called */
DBM__DEF dbm_task_handle dbm__spawn(dbm_loop *loop, dbm_task_fn fn, void *data, const dbm_spawn_options *options, const char *site) {
    dbm_task_handle none;
    memset(&none, 0, sizeof none);
    (void)loop; (void)fn; (void)data; (void)options;
    (void)dbm__fail(DBM_E_NOT_COMPILED, DBM_STAGE_NONE, "", site, "the asynchronous half is not compiled in: define DBM_WITH_ASYNC where DBM_IMPLEMENTATION is");
    return none;
}
static dbm_status dbm__no_task(void) { return dbm__fail_null("there is no task: the asynchronous half is not compiled in", NULL); }
DBM__DEF dbm_status dbm_task_cancel(dbm_task_handle handle) { (void)handle; return dbm__no_task(); }
DBM__DEF dbm_status dbm_task_deadline(dbm_task *t, int ms) { (void)t; (void)ms; return dbm__no_task(); }
DBM__DEF dbm_task_status dbm_task_fail(dbm_task *t, dbm_status status) { (void)t; (void)status; return DBM_TASK_FAILED; }
DBM__DEF dbm_status dbm_task_outcome(dbm_task *t) { (void)t; return dbm__no_task(); }
DBM__DEF dbm_loop *dbm_task_loop(dbm_task *t) { (void)t; return NULL; }
DBM__DEF void dbm_task_stats(dbm_loop *loop, dbm_task_stats_info *out) { (void)loop; if (out != NULL) memset(out, 0, sizeof *out); }
DBM__DEF dbm_act *dbm__async_task(dbm_task *t, dbm_task_fn fn, void *data, const char *site) { (void)t; (void)fn; (void)data; (void)site; return NULL; }
DBM__DEF dbm_act *dbm__async_all(dbm_task *t, const char *site) { (void)t; (void)site; return NULL; }
DBM__DEF dbm_act *dbm__async_sleep(dbm_task *t, int ms, const char *site) { (void)t; (void)ms; (void)site; return NULL; }
DBM__DEF dbm_act *dbm__async_yield(dbm_task *t, const char *site) { (void)t; (void)site; return NULL; }
DBM__DEF dbm_act *dbm__async_call(dbm_task *t, dbm_status (*fn)(void *ud), void *ud, const char *site) { (void)t; (void)fn; (void)ud; (void)site; return NULL; }
DBM__DEF void dbm_async_cancel(dbm_act *act) { (void)act; }
DBM__DEF void *dbm__task_data(dbm_task *t) { (void)t; return NULL; }
DBM__DEF long long dbm__task_at(dbm_task *t) { (void)t; return -1; }
DBM__DEF dbm_task_status dbm__task_over(dbm_task *t) { (void)t; return DBM_TASK_FAILED; }
DBM__DEF bool dbm__await_at(dbm_task *t, int at) { (void)t; (void)at; return false; }
DBM__DEF bool dbm__await(dbm_task *t, dbm_act *act, const char *site) { (void)t; (void)act; (void)site; return false; }
DBM__DEF bool dbm__await_within(dbm_task *t, int ms, dbm_act *act, const char *site) { (void)t; (void)ms; (void)act; (void)site; return false; }
DBM__DEF dbm_status dbm__awaited(dbm_task *t) { (void)t; return dbm__no_task(); }
DBM__DEF bool dbm__await_failed(dbm_task *t) { (void)t; return true; }
DBM__DEF bool dbm__await_maybe(dbm_task *t, bool made) { (void)t; (void)made; return true; }
#endif /* DBM_HAS_ASYNC */
