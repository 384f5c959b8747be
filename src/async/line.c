/* Sessions that wait for a connection, in the pool's queue.
 * May call: api/, base/, adapter/, pool/, session/, async.h, side.h.
 * Must not know: what a session's calls are.
 *
 *     line [taking ... taking] --slot--> side: [first under way ... last] --END--> giving --> gone, to whoever takes the slot next */
#include "side.h"
#if DBM_HAS_ASYNC

/* A session that begins. What 10,000 tasks wait with is this and the task: `more` is made for those that need it. */
typedef struct dbm__beginning {
    dbm_act act;                         /* own[0]: what it waits for */
    dbm__taking taking;                  /* by: the first field of its line */
    dbm_session *out;
    struct dbm__beginning_more *more;    /* NULL: none */
} dbm__beginning;
enum { DBM__BEGINNING_QUEUED = 1, DBM__BEGINNING_WATCHES };
#define DBM__WAITS_FOR act.own[0]
#define DBM__LINE(b) ((dbm__line *)(void *)(b)->taking.by)

/* For options, a callback, or a connection that is being made or looked at. */
typedef struct dbm__beginning_more {
    dbm__beginning *of;
    dbm_task *task;                      /* whose the session is; NULL: of the callback form */
    dbm_async_fn fn;
    void *ud;
    dbm_error_info *error;
    int64_t deadline_us;
    int want;
    dbm_session_options options;         /* where the pointer to them points */
    const dbm_session_options *given;
    dbm__watch watch;
    dbm__worked worked;
} dbm__beginning_more;
#define DBM__MORE_OF(field, p) ((dbm__beginning_more *)(void *)((char *)(p) - offsetof(dbm__beginning_more, field)))

static void dbm__beginning_heard(dbm__watch *watch, dbm_status heard);
static void dbm__beginning_step(dbm__beginning *b, dbm_status heard);

static bool dbm__beginning_more_make(dbm__beginning *b, dbm_task *task) {
    if (b->more != NULL) return true;
    b->more = (dbm__beginning_more *)dbm__act_take(DBM__LINE(b)->loop, sizeof *b->more, b->taking.site);
    if (b->more == NULL) return false;
    b->more->of = b;
    b->more->task = task;
    b->more->deadline_us = INT64_MAX;
    dbm__watch_init(&b->more->watch, dbm__beginning_heard);
    return true;
}

static dbm_task *dbm__beginning_task(const dbm__beginning *b) { return b->more != NULL ? b->more->task : dbm__act_task(&b->act); }

static void dbm__beginning_reap(dbm_act *act) {
    dbm__beginning *b = (dbm__beginning *)(void *)act;
    dbm_loop *loop = dbm__act_loop(act);
    if (b->more != NULL) dbm__loop_give(loop, b->more, sizeof *b->more);
    dbm__loop_give(loop, b, sizeof *b);
}

static void dbm__beginning_tell(dbm_act *act) {
    const dbm__beginning_more *m = ((const dbm__beginning *)(const void *)act)->more;
    if (m->fn != NULL) m->fn(m->ud, act->status);
}

/* ---- the line ---- */

DBM__FN void dbm__line_left(dbm__line *line) {
    dbm__line **p;
    if (--line->users != 0) return;
    dbm__loop_unwatch(line->loop, &line->watch);
    dbm__loop_unwatch(line->loop, &line->later);
    for (p = &((dbm__sides *)*dbm__loop_of_acts(line->loop))->lines; *p != line; p = &(*p)->next) {}
    *p = line->next;
    dbm__taker_end(&line->by);
    if (dbm__load(&line->posted) == 0) dbm__loop_give(line->loop, line, sizeof *line);
}

static void dbm__line_heard(dbm__watch *watch, dbm_status heard) {
    dbm__line *line = (dbm__line *)(void *)((char *)watch - offsetof(dbm__line, watch));
    dbm__taking *t;
    int64_t until_us;
    (void)heard;
    line->users++;
    while ((t = dbm__taker_next(&line->by, &until_us)) != NULL) {
        dbm__beginning *b = (dbm__beginning *)(void *)((char *)t - offsetof(dbm__beginning, taking));
        if (b->DBM__WAITS_FOR == DBM__BEGINNING_QUEUED) dbm__beginning_step(b, DBM_OK); /* else a worker has just put it there, and it is stepped after that */
    }
    dbm__loop_unwatch(line->loop, watch);
    if (until_us != INT64_MAX) dbm__loop_watch(line->loop, watch, -1, 0, until_us);
    dbm__line_left(line);
}

static void dbm__line_woken(dbm__job *job) {
    dbm__line *line = (dbm__line *)(void *)((char *)job - offsetof(dbm__line, woken));
    dbm__store_release(&line->posted, 0);
    if (line->users == 0) dbm__loop_give(line->loop, line, sizeof *line);
    else dbm__line_heard(&line->watch, DBM_OK);
}

/* Calls may still wait, and nobody says when others have given a connection back. */
static void dbm__line_later(dbm__watch *watch, dbm_status heard) {
    dbm__line *line = (dbm__line *)(void *)((char *)watch - offsetof(dbm__line, later));
    (void)heard;
    line->looks = false;
    if (line->waiting != 0) dbm__async_put_off(&line->front);
}

/* Any thread. */
static void dbm__line_wake(void *ud) {
    dbm__line *line = (dbm__line *)ud;
    if (dbm__swap(&line->posted, 1) == 0) dbm__loop_post(line->loop, &line->woken);
}

/* For one more that begins; NULL: no memory. */
DBM__FN dbm__line *dbm__line_of(dbm_loop *loop, dbm_database *db, const char *site) {
    dbm__sides *sides = dbm__sides_of(loop);
    dbm__line *line = sides != NULL ? sides->lines : NULL;
    while (line != NULL && line->by.db != db) line = line->next;
    if (line == NULL && sides != NULL && (line = (dbm__line *)dbm__act_take(loop, sizeof *line, site)) != NULL) {
        dbm__taker_init(&line->by, db, dbm__line_wake, line);
        line->loop = loop;
        line->woken.run = dbm__line_woken;
        dbm__watch_init(&line->watch, dbm__line_heard);
        dbm__watch_init(&line->later, dbm__line_later);
        line->front.line = line;
        line->front.loop = loop;
        line->front.db = db;
        line->next = sides->lines;
        sides->lines = line;
        dbm__loop_at_end(loop, dbm__async_end_all);
    }
    if (line != NULL) line->users++;
    return line;
}

/* ---- one of it ---- */

static void dbm__beginning_over(dbm__beginning *b, dbm_status st) {
    const dbm_session_options *options = b->more != NULL ? b->more->given : NULL;
    if (st != DBM_OK) (void)dbm__session_refused(b->out, options != NULL ? options->status : NULL, st, DBM__KIND_HAND);
    dbm__line_left(DBM__LINE(b));
    dbm__act_done(&b->act, st);
}

/* With this thread's last failure. */
static void dbm__beginning_failed(dbm__beginning *b) {
    dbm_error_info kept = dbm__self()->last;
    dbm__taking_abandon(&b->taking);
    dbm__beginning_over(b, dbm__fail_again(&kept));
}

static void dbm__beginning_cancelled(dbm__beginning *b) {
    (void)dbm__fail(DBM_E_CANCELLED, DBM_STAGE_CHECKOUT, b->taking.by->db->name, b->taking.site, "the session was cancelled before it had begun");
    dbm__beginning_failed(b);
}

/* E_CLOSED where the loop's end has come first: nobody would be let end that session. */
static dbm_status dbm__beginning_late(const dbm__beginning *b) {
    if (dbm__beginning_task(b) != NULL || !dbm__loop_ends(DBM__LINE(b)->loop)) return DBM_OK;
    return dbm__fail(DBM_E_CLOSED, DBM_STAGE_CHECKOUT, b->taking.by->db->name, b->taking.site, "the loop is being freed");
}

/* .transaction: BEGIN has come back. */
static void dbm__beginning_begun(void *ud, dbm_status st) {
    dbm__beginning *b = (dbm__beginning *)ud;
    dbm__async *a = (dbm__async *)(void *)((dbm__work *)b->out->slot)->side;
    if (st == DBM_OK) st = dbm__beginning_late(b);
    if (st != DBM_OK && dbm__load32(&a->open) == b->out->gen) { /* else the loop's end, or its task's, has ended it */
        dbm_error_info kept = dbm__self()->last;
        a->work->base.status = NULL; /* it is said below, and whose it is may go when that was told */
        dbm__async_end(a, a->end, NULL, false, true);
        dbm__self()->last = kept;
    }
    dbm__beginning_over(b, st);
}

static void dbm__beginning_taken(dbm__beginning *b) {
    dbm__slot *slot = b->taking.u.slot;
    dbm_loop *loop = DBM__LINE(b)->loop;
    const char *site = b->taking.site;
    const dbm_session_options *options = b->more != NULL ? b->more->given : NULL;
    dbm__work *w = dbm__session_taken(slot, options, DBM__KIND_HAND, b->more != NULL ? b->more->deadline_us : INT64_MAX, site, b->out);
    dbm__request *r = NULL;
    dbm_status st = dbm__beginning_late(b);
    dbm__async *a = st == DBM_OK ? dbm__async_begin(w, loop, dbm__beginning_task(b), site) : NULL;
    bool begins = options != NULL && options->transaction && w->db->transactions_asked;
    dbm__async_to to;
    if (a != NULL && begins) r = dbm__request_make(loop, DBM__ASYNC_BEGIN, site, NULL, NULL, 0, false);
    if (a == NULL) {
        dbm_error_info kept = dbm__self()->last;
        (void)dbm__session_leave(w);
        dbm__pool_give(slot);
        dbm__beginning_over(b, dbm__fail_again(&kept));
    } else if (begins && r == NULL) {
        dbm__beginning_begun(b, DBM_E_NOMEM);
    } else if (begins) {
        memset(&to, 0, sizeof to);
        to.told = true;
        to.fn = dbm__beginning_begun;
        to.ud = b;
        (void)dbm__async_add(a, r, to);
    } else {
        dbm__beginning_over(b, DBM_OK);
    }
}

static void dbm__beginning_run(dbm__worked *worked) {
    dbm__beginning_more *m = DBM__MORE_OF(worked, worked);
    dbm__taking *t = &m->of->taking;
    m->want = dbm__taking_step(t, DBM_OK, true, m->deadline_us);
    if (m->want == DBM_STEP_DONE) m->error = dbm__error_keep(t->by->db->host, (dbm_status)t->status);
}

static void dbm__beginning_on(dbm__beginning *b, int want);
static void dbm__beginning_ran(dbm__worked *worked) {
    dbm__beginning_more *m = DBM__MORE_OF(worked, worked);
    dbm__beginning *b = m->of;
    if (m->want == DBM_STEP_DONE) (void)dbm__error_kept(b->taking.by->db->host, m->error, (dbm_status)b->taking.status);
    m->error = NULL;
    if (m->want != DBM_STEP_DONE && b->act.stopped) dbm__beginning_cancelled(b);
    else if (m->want == DBM__STEP_QUEUED) dbm__beginning_step(b, DBM_OK); /* it may have got something before anybody could step it */
    else dbm__beginning_on(b, m->want);
}

/* Waits for what the step wanted. */
static void dbm__beginning_on(dbm__beginning *b, int want) {
    dbm__line *line = DBM__LINE(b);
    dbm__beginning_more *m = b->more;
    b->DBM__WAITS_FOR = 0;
    if (want == DBM_STEP_DONE) {
        if (b->taking.status == DBM_OK) dbm__beginning_taken(b);
        else dbm__beginning_over(b, (dbm_status)b->taking.status);
    } else if (want == DBM__STEP_QUEUED) {
        b->DBM__WAITS_FOR = DBM__BEGINNING_QUEUED;
        dbm__line_wake(line); /* which sets its timer */
        if (m != NULL && m->deadline_us != INT64_MAX) dbm__loop_watch(line->loop, &m->watch, -1, 0, m->deadline_us);
    } else if (!dbm__beginning_more_make(b, dbm__beginning_task(b))) {
        dbm__beginning_failed(b);
    } else if (want == DBM__STEP_BLOCKS) {
        b->more->worked.run = dbm__beginning_run;
        b->more->worked.done = dbm__beginning_ran;
        if (dbm__loop_work(line->loop, &b->more->worked) != DBM_OK) dbm__beginning_failed(b);
    } else {
        const dbm__way *way = &b->taking.u.slot->way;
        int fd_want = want & DBM_STEP_BOTH;
        b->DBM__WAITS_FOR = DBM__BEGINNING_WATCHES;
        dbm__loop_watch(line->loop, &b->more->watch, fd_want != 0 ? way->fd : -1, fd_want != 0 ? fd_want | DBM__WATCH_NEW : 0, way->until_us);
    }
}

static void dbm__beginning_step(dbm__beginning *b, dbm_status heard) {
    if (b->more != NULL) dbm__loop_unwatch(DBM__LINE(b)->loop, &b->more->watch);
    dbm__beginning_on(b, dbm__taking_step(&b->taking, heard, false, b->more != NULL ? b->more->deadline_us : INT64_MAX));
}

static void dbm__beginning_heard(dbm__watch *watch, dbm_status heard) {
    dbm__beginning *b = DBM__MORE_OF(watch, watch)->of;
    dbm__beginning_step(b, b->DBM__WAITS_FOR == DBM__BEGINNING_QUEUED ? DBM_OK : heard);
}

static void dbm__beginning_stop(dbm_act *act) {
    dbm__beginning *b = (dbm__beginning *)(void *)act;
    if (b->DBM__WAITS_FOR == 0 && (b->more == NULL || !dbm__loop_work_recall(DBM__LINE(b)->loop, &b->more->worked))) return; /* a worker has it, and then it is seen; or it has begun */
    b->DBM__WAITS_FOR = 0;
    if (b->more != NULL) dbm__loop_unwatch(DBM__LINE(b)->loop, &b->more->watch);
    dbm__beginning_cancelled(b);
}

static const dbm__act_kind dbm__beginning_awaited = { dbm__beginning_stop, NULL, dbm__beginning_reap };
static const dbm__act_kind dbm__beginning_told = { dbm__beginning_stop, dbm__beginning_tell, dbm__beginning_reap };

DBM__FN dbm_act *dbm__async_open(dbm_loop *loop, dbm_task *task, dbm_database *db, const dbm_session_options *options, dbm_session *out,
                                dbm_async_fn fn, void *ud, const char *site) {
    dbm__line *line;
    dbm__beginning *b;
    dbm_status st;
    if (out == NULL) {
        (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_CHECKOUT, NULL, site, "dbm_async_session: the session is NULL");
        return NULL;
    }
    out->slot = NULL;
    out->step = 0;
    st = dbm__loop_forked(loop) ? dbm__loop_alive(loop, site) : dbm__session_allowed(db, options, site);
    line = st == DBM_OK ? dbm__line_of(loop, db, site) : NULL;
    b = line != NULL ? (dbm__beginning *)dbm__act_take(loop, sizeof *b, site) : NULL;
    if (b != NULL) {
        dbm__store(&line->by.holder, DBM__HOLDER_LOOP(dbm__thread_number())); /* a loop may have been begun on by another thread than its own */
        dbm__taking_init(&b->taking, &line->by, site);
        b->out = out;
        if ((options != NULL || task == NULL) && !dbm__beginning_more_make(b, task)) {
            dbm__loop_give(loop, b, sizeof *b);
            b = NULL;
        }
    }
    if (b == NULL) {
        if (line != NULL) dbm__line_left(line);
        (void)dbm__session_refused(out, options != NULL ? options->status : NULL, st != DBM_OK ? st : DBM_E_NOMEM, DBM__KIND_HAND);
        return NULL;
    }
    out->gen = (uint32_t)DBM_E_MISUSE; /* until it has begun */
    if (b->more != NULL) {
        b->more->fn = fn;
        b->more->ud = ud;
        if (options != NULL) {
            b->more->options = *options;
            b->more->given = &b->more->options;
            if (options->timeout_ms > 0) b->more->deadline_us = dbm__deadline(db->host, options->timeout_ms);
        }
    }
    dbm__act_begin(&b->act, loop, task, task != NULL ? &dbm__beginning_awaited : &dbm__beginning_told);
    if (dbm__act_task(&b->act) != task && !dbm__beginning_more_make(b, task)) dbm__beginning_failed(b); /* a child begins it for its parent */
    else dbm__beginning_step(b, DBM_OK);
    return &b->act;
}
#endif /* DBM_HAS_ASYNC */
