/* Sessions on a loop: their begin, the order of their calls, their end; and what of it blocks, on workers.
 * May call: api/, base/, adapter/, pool/, sql/, session/, data/, manager/, async.h, side.h.
 * Must not know: how a statement is run.
 *
 *     line [taking ... taking] --slot--> side: [first under way ... last] --END--> giving --> gone, to whoever takes the slot next
 *
 * From its last step on a slot that goes back is not ours, nor is the side: what is left to do then stands in the request. */
#include "side.h"
#include "../data/data.h"
#if DBM_HAS_ASYNC

#define DBM__ASYNC_OF(field, p) ((dbm__async *)(void *)((char *)(p) - offsetof(dbm__async, field)))

static void dbm__async_go(dbm__async *a);
static void dbm__async_over(dbm__async *a);
static void dbm__turn_forego(dbm__async *a);

/* One database as one loop uses it: sessions that wait for a connection, by one timer and one job to be woken by for all of them, and calls on it. For the program each
 * of these is a session of its own; here they share carriers: sessions in autocommit, taken from the pool as any other, each of which takes some of the calls that
 * wait, as many as the others, so that what is quick is not behind what is slow for long. Without calls, at the end of a turn, they go back, and before that when others
 * have waited in the pool for long. */
typedef struct dbm__line {
    dbm__taker by;
    struct dbm__line *next;
    dbm_loop *loop;
    size_t users;                        /* 0: it is to be freed */
    dbm__watch watch;
    dbm__job woken;
    dbm__word posted;                    /* `woken` is on its way */
    dbm__async front;                    /* without a work: calls are put there, and wait */
    int waiting;                         /* how many of them */
    dbm__async *carriers;
    bool begins, named, ends, looks;     /* one more is being taken, since began_us; dbm_async_on() has given it out; its loop ends; `later` is set: */
    dbm__watch later;                    /* when to look again whether others have given a connection back */
    dbm_session begun;
    int64_t began_us;
} dbm__line;
enum { DBM__SHARE_CALLS = 32, DBM__SHARE_SERVED = 256, DBM__SHARE_LOOK_US = 10000 }; /* taken at once; carried while others wait in the pool */
static void dbm__line_left(dbm__line *line);
static void dbm__share_go(dbm__line *h);
static void dbm__share_left(dbm__async *a);
static void dbm__shares_end(dbm_loop *loop);
static void dbm__async_end_all(dbm_loop *loop);
static bool dbm__share_stop(dbm__request *r);
static void dbm__share_untold(dbm__request *r);

/* ---- requests ------------------------------------------------------------------------------------------------------------ */

/* dbm_affected() and dbm_last_id() are those of the call that is told, though the ones behind it in its batch have been answered. */
static void dbm__request_shows(const dbm__request *r) {
    if (r->gen == 0 || r->line != NULL || dbm__load32(&r->side->work->gen) != r->gen) return; /* none, nobody's to ask for, or its session has ended */
    r->side->work->affected = r->affected;
    r->side->work->last_id = r->last_id;
}

static void dbm__request_reap(dbm_act *act) {
    dbm__request *r = (dbm__request *)(void *)act;
    if (!act->of_loop) dbm__request_shows(r);
    if (r->row != NULL && r->gen != 0 && dbm__load32(&r->side->work->gen) == r->gen && r->row->lent_to == r) r->row->lent_to = r->row->work;
    if (r->line != NULL) dbm__share_untold(r);
    else {
        dbm__free(dbm__loop_host(dbm__act_loop(act)), r->error);
        dbm__loop_give(dbm__act_loop(act), r, r->size);
    }
}

static void dbm__request_tell(dbm_act *act) {
    dbm__request *r = (dbm__request *)(void *)act;
    dbm_status st = act->status;
    dbm__request_shows(r);
    if ((r->row != NULL || r->rows != NULL) && dbm__loop_ends(act->of.loop)) { /* they have ended with their session, which is another's now */
        if (r->row_out != NULL) *r->row_out = NULL;
        if (r->rows_out != NULL) *r->rows_out = NULL;
        st = dbm__fail(DBM_E_CLOSED, DBM_STAGE_ROW, NULL, r->site, "the loop is being freed");
    }
    if (r->fn != NULL) r->fn(r->ud, st);
}

static bool dbm__request_stops(const dbm__request *r) {
    return r->kind != DBM__ASYNC_END && r->kind != DBM__ASYNC_ROLLBACK && r->kind != DBM__ASYNC_ROWS_END && r->kind != DBM__ASYNC_BULK_ABANDON;
}

/* The call alone: its failure sticks, but what is under way is cancelled as by dbm_cancel() until it has ended. */
enum { DBM__CALL_CANCELLED = 2 };
static void dbm__request_stop(dbm_act *act) {
    dbm__request *r = (dbm__request *)(void *)act;
    dbm__async *a = r->side;
    dbm__word not_yet = 0;
    if (r->line != NULL && dbm__share_stop(r)) return;
    if (!dbm__request_stops(r)) { /* it goes on, but not for long */
        if (r->worked.run == NULL && !r->given && a->first == r) dbm__flow_cancel(a); /* a worker that has it sets `given` */
        return;
    }
    if (a->sent != r && (a->first != r || !(a->on || a->turned))) return; /* what has its turn later is looked at then */
    if (a->turned) dbm__turn_forego(a);
    else if (dbm__cas(&a->work->cancelled, &not_yet, DBM__CALL_CANCELLED)) {
        dbm__work *w = a->work;
        dbm__store(&w->slot.connection.cancelled, DBM__CALL_CANCELLED);
        dbm__store_release(&w->trouble, 1);
        if (!a->blocks) {
            dbm__flow_cancel(a);
            return;
        }
        dbm__add(&w->cancellers, 1); /* what must not be hit, and the end of what the adapter looks at, wait until it is through */
        if (dbm__load_ordered(&w->committing) == 0 && w->db->adapter->cancel != NULL) w->db->adapter->cancel(&w->slot.connection);
        dbm__add(&w->cancellers, (dbm__word)0 - 1u);
        if (w->db->gate != NULL) dbm__gate_wake(w->db->gate);
    }
}

static const dbm__act_kind dbm__request_awaited = { dbm__request_stop, NULL, dbm__request_reap };
static const dbm__act_kind dbm__request_told = { dbm__request_stop, dbm__request_tell, dbm__request_reap };

DBM__FN dbm__request *dbm__request_make(dbm_loop *loop, dbm__async_kind kind, const char *site, const char *sql, const dbm_value *values, int count, bool named) {
    size_t text = sql != NULL ? strlen(sql) + 1 : 0, room = dbm__values_room(values, count), head = (sizeof(dbm__request) + 15u) & ~(size_t)15u, size = head + room + text;
    dbm__request *r;
    char *at;
    int i;
    if (named) for (i = 0; i < count; i++) size += strlen(values[i].name) + 1;
    r = (dbm__request *)dbm__act_take(loop, size, site);
    if (r == NULL) return NULL;
    r->size = size;
    r->kind = kind;
    r->site = site;
    r->named = named;
    r->count = count;
    r->values = dbm__values_put(values, count, (char *)r + head);
    at = (char *)r + head + room;
    if (named) {
        dbm_value *copy = (dbm_value *)(void *)((char *)r + head);
        for (i = 0; i < count; i++) {
            size_t n = strlen(values[i].name) + 1;
            copy[i].name = (const char *)memcpy(at, values[i].name, n);
            at += n;
        }
    }
    if (sql != NULL) r->sql = (const char *)memcpy(at, sql, text);
    r->hint = dbm__cache_hint(sql);
    return r;
}

/* One that has failed already, in its turn: this thread's last failure. */
static dbm__request *dbm__request_failed(dbm_loop *loop, const char *site) {
    dbm__request *r = dbm__request_make(loop, DBM__ASYNC_FAIL, site, NULL, NULL, 0, false);
    if (r == NULL) return NULL;
    r->error = dbm__error_keep(dbm__loop_host(loop), dbm__self()->last.status);
    return r;
}

static void dbm__request_done(dbm__request *r, dbm_status st) {
    r->listed = false;
    if (r->act.done) { /* whoever made it has been told */
        if (r->reaped) dbm__share_untold(r);
        return;
    }
    if (r->row_out != NULL) *r->row_out = r->row;
    if (r->rows_out != NULL) *r->rows_out = r->rows;
    if (r->bulk_out != NULL) *r->bulk_out = st == DBM_OK ? r->bulk : NULL;
    dbm__act_done(&r->act, st);
}

/* ---- the queue -------------------------------------------------------------------------------------------------------------- */

static void dbm__async_turn(dbm__job *job) {
    dbm__async *a = DBM__ASYNC_OF(turn, job);
    a->put_off = false;
    dbm__async_go(a);
}

/* At the end of the turn it goes on. */
static void dbm__async_put_off(dbm__async *a) {
    if (a->put_off) return;
    a->put_off = true;
    a->turn.run = dbm__async_turn;
    if (a->work == NULL) a->line->users++;
    dbm__loop_at_turn_end(a->loop, &a->turn);
}

static void dbm__async_busy(dbm__async *a, bool busy) {
    a->side.busy = busy;
    if (busy && dbm__load(&a->work->trouble) != 1) dbm__store(&a->work->trouble, DBM__SIDE_BUSY);
    if (!busy && dbm__load(&a->work->trouble) != 0) dbm__work_look_again(a->work);
}

static void dbm__async_queue(dbm__async *a, dbm__request *r) {
    r->side = a;
    if (a->turns != NULL || a->work == NULL) r->began_us = dbm__now(a->db->host);
    if (a->first != NULL) a->last->next = r;
    else a->first = r;
    a->last = r;
}

static void dbm__async_put(dbm__async *a, dbm__request *r) {
    bool idle = a->first == NULL && a->sent == NULL;
    dbm__async_queue(a, r);
    if (a->work == NULL) {
        DBM_ASSERT(a->line != NULL);
        r->line = a->line;
        r->listed = true;
        a->line->waiting++;
        a->line->users++;
        dbm__async_put_off(a);
    } else if (idle) {
        dbm__async_busy(a, true);
        if (a->pipes && r->kind >= DBM__ASYNC_EXEC && r->kind <= DBM__ASYNC_COMMAND) dbm__async_put_off(a); /* there may be more */
        else dbm__async_go(a);
    }
}

/* A call is over, and in no queue any more. A failure is this thread's last. */
static void dbm__async_answer(dbm__async *a, dbm__request *r, dbm_status st) {
    dbm__word mine = DBM__CALL_CANCELLED;
    if (a->limited) {
        a->limited = false;
        a->work->base.deadline_us = a->own_limit_us;
        a->work->timed = a->own_limit_us != INT64_MAX || a->work->db->settings->config.statement_timeout_ms > 0;
    }
    if (r->act.stopped && dbm__cas(&a->work->cancelled, &mine, 0)) dbm__store(&a->work->slot.connection.cancelled, 0); /* that is over */
    if (a->first == NULL && a->sent == NULL) dbm__async_busy(a, false);
    if (a->line != NULL) {
        if (a->served < DBM__SHARE_SERVED) a->served++;
        r->gen = a->work->gen;
        if (r->row != NULL) r->row->lent_to = r->act.done ? (const void *)a->work : r;
    }
    dbm__request_done(r, st);
}

DBM__FN void dbm__side_answered(dbm__async *a, dbm__request *r, dbm_status st) {
    dbm__async_answer(a, r, st);
    if (a->sent == NULL || !a->sent->act.stopped || a->sent->act.done) return;
    a->sent->act.stopped = false; /* it has its turn now */
    dbm__act_stop(&a->sent->act);
}

DBM__FN void dbm__side_back(dbm__async *a, dbm__request *first, dbm__request **last) {
    dbm__async *to = a->side.apart ? &first->line->front : a;
    dbm__request *r;
    *last = NULL;
    for (r = first; to != a && r != NULL; r = r->next) {
        r->side = to;
        r->gen = 0;
        if (!r->act.done) first->line->waiting++;
    }
    if (to->first == NULL) to->last = (dbm__request *)(void *)((char *)last - offsetof(dbm__request, next));
    *last = to->first;
    to->first = first;
    if (to != a) dbm__async_put_off(to);
    else dbm__async_busy(a, true);
}

/* The first one is over. */
static void dbm__async_next(dbm__async *a, dbm_status st) {
    dbm__request *r = a->first;
    if (a->of_rows && a->end != NULL && (st > DBM_ROLLED_BACK || r->kind == DBM__ASYNC_ROWS_END || (r->kind == DBM__ASYNC_NEXT && r->row == NULL))) dbm__async_over(a);
    a->first = r->next;
    dbm__async_answer(a, r, st);
}

/* The end of a session, its connection apart. Why it failed stays with the request. */
static void dbm__async_leave(dbm__async *a, dbm__request *r) {
    dbm__work *w = a->work;
    dbm_status st;
    a->side.busy = a->side.apart = false;
    dbm__store(&a->side.runner, 0);
    if (!r->writes) w->base.wrote = false; /* it was to be rolled back, and nobody is to wonder */
    r->given = true;
    st = dbm__session_leave(w);
    r->status = st > DBM_ROLLED_BACK ? st : DBM_OK;
    if (r->status == DBM_OK) return;
    (void)dbm__level_again(&w->base);
    r->error = dbm__error_keep(w->db->host, st);
}

static void dbm__async_ended(dbm_loop *loop, dbm__request *r) {
    dbm_status st = dbm__error_kept(dbm__loop_host(loop), r->error, r->status);
    r->error = NULL;
    dbm__request_done(r, st);
}

/* ---- what blocks ---------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__async_sync(dbm__async *a, dbm__request *r) {
    dbm__work *w = a->work;
    dbm_session s;
    s.slot = w;
    s.gen = dbm__load32(&w->gen);
    s.step = 0;
    switch (r->kind) {
    case DBM__ASYNC_BEGIN: return dbm__transaction_begin(w, r->site);
    case DBM__ASYNC_EXEC: return dbm__execv(&s, r->site, r->sql, r->values, r->count);
    case DBM__ASYNC_QUERY: return dbm__queryv(&s, &r->rows, r->site, r->sql, r->values, r->count);
    case DBM__ASYNC_ONE: return dbm__query_onev(&s, &r->row, r->site, r->sql, r->values, r->count);
    case DBM__ASYNC_COMMAND: return dbm__command_one(&s, r->site, r->values, r->count, r->writes, &r->row);
    case DBM__ASYNC_NEXT: {
        dbm_status st = dbm_rows_next(r->rows, &r->row);
        return st == DBM_DONE ? DBM_OK : st;
    }
    case DBM__ASYNC_RUN: return r->run(&s, r->run_ud);
    case DBM__ASYNC_BULK_BEGIN: case DBM__ASYNC_BULK_ROWS: case DBM__ASYNC_BULK_END: case DBM__ASYNC_BULK_ABANDON: return dbm__bulk_sync(r, &s);
    case DBM__ASYNC_ROWS_END: dbm_rows_end(r->rows); return DBM_OK;
    case DBM__ASYNC_COMMIT: return dbm_commit(&s);
    case DBM__ASYNC_ROLLBACK: return dbm_rollback(&s);
    default: return DBM_OK;
    }
}

/* On a worker. */
static void dbm__async_worker(dbm__worked *worked) {
    dbm__request *r = (dbm__request *)(void *)((char *)worked - offsetof(dbm__request, worked));
    dbm__async *a = r->side;
    dbm__work *w = a->work;
    bool was_held = w->gate_held && a->turns != NULL;
    if (r->kind == DBM__ASYNC_END) {
        dbm__turns *turns = a->turns;
        if (r->writes) dbm__session_finish(w, false);
        dbm__async_leave(a, r);
        if (was_held) dbm__store(&turns->held, 0);
        dbm__pool_give(&w->slot);
        return;
    }
    dbm__store(&a->side.runner, dbm__thread_number());
    if (a->turns == NULL || w->gate_held) {
        r->status = dbm__async_sync(a, r);
    } else {
        dbm__thread *self = dbm__self();
        bool runs = r->kind == DBM__ASYNC_RUN, held = dbm__load(&a->turns->held) != 0;
        r->turned = runs && held && !a->late && dbm__load(&w->cancelled) == 0; /* since it was queued; and it can't be run twice */
        self->impatient = held || (!runs && !r->patient);
        if (!r->turned) {
            r->status = dbm__async_sync(a, r);
            r->turned = !runs && self->turned_away && !a->late && dbm__load(&w->cancelled) == 0;
        }
        self->impatient = self->turned_away = false;
        if (r->turned) w->top->sticky = DBM_OK; /* nothing was done */
        if (w->gate_held) dbm__store(&a->turns->held, 1);
    }
    if (was_held && !w->gate_held) dbm__store(&a->turns->held, 0);
    dbm__store(&a->side.runner, 0);
    r->error = r->turned ? NULL : dbm__error_keep(w->db->host, r->status);
}

/* ---- turns to write ---- */

static void dbm__turn_out(dbm__async *a) {
    dbm__async **p;
    for (p = &a->turns->first; *p != a; p = &(*p)->next_turn) {}
    *p = a->next_turn;
    if (a->turns->last == &a->next_turn) a->turns->last = p;
    a->turned = false;
    dbm__loop_unwatch(a->loop, &a->watch);
}

/* The next one that wrote in vain, now that nobody of this loop writes. */
static void dbm__turns_next(dbm__turns *turns) {
    dbm__async *a = turns->first;
    if (a == NULL || turns->patient != NULL || dbm__load(&turns->held) != 0) return;
    turns->patient = a;
    dbm__turn_out(a);
    dbm__async_go(a);
}

static void dbm__turn_wait(dbm__async *a, dbm__request *r) {
    dbm__turns *turns = a->turns;
    int64_t until = dbm__work_deadline(a->work), most = r->began_us + (int64_t)a->work->db->settings->config.pool.timeout_ms * 1000;
    r->turned = false;
    a->turned = true;
    if (turns->patient == a) { /* it keeps its place */
        turns->patient = NULL;
        a->next_turn = turns->first;
        if (turns->first == NULL) turns->last = &a->next_turn;
        turns->first = a;
    } else {
        a->next_turn = NULL;
        *turns->last = a;
        turns->last = &a->next_turn;
    }
    dbm__loop_watch(a->loop, &a->watch, -1, 0, until < most ? until : most);
    if (dbm__load(&a->work->cancelled) != 0) dbm__turn_forego(a); /* which came before anybody could see that it waits */
}

/* It need not wait any more, for it is cancelled or late. */
static void dbm__turn_forego(dbm__async *a) {
    dbm__turn_out(a);
    dbm__async_go(a);
}

static void dbm__turns_look(void *ud) {
    dbm__turns *turns = ((dbm__sides *)*dbm__loop_of_acts((dbm_loop *)ud))->turns;
    dbm__async *a = NULL;
    for (; turns != NULL && a == NULL; turns = turns->next) for (a = turns->first; a != NULL && dbm__load(&a->work->cancelled) == 0; a = a->next_turn) {}
    if (a == NULL) return;
    dbm__turn_forego(a);
    dbm__turns_look(ud); /* for others */
}

/* dbm_cancel was called for one or the other session of the loop. */
static void dbm__async_look(void *ud) {
    const dbm__sides *sides = (const dbm__sides *)*dbm__loop_of_acts((dbm_loop *)ud);
    dbm__async *a;
    int i;
    for (i = 0; i < 2; i++)
        for (a = i == 0 ? sides->told : sides->owned; a != NULL; a = a->next) {
            if (!a->waits || dbm__load(&a->work->cancelled) == 0) continue;
            dbm__running_told(&a->running);
            dbm__flow_cancel(a);
        }
    dbm__turns_look(ud);
}

/* Any thread. The session does not leave its loop before this returns. */
static void dbm__async_cancelled(dbm__work *w) {
    dbm_loop *loop = ((dbm__async *)(void *)w->side)->loop;
    (void)dbm_loop_post(loop, dbm__async_look, loop);
}

static void dbm__turns_left(dbm_loop *loop, dbm__turns *turns) {
    dbm__turns **p;
    if (--turns->sessions > 0) {
        dbm__turns_next(turns);
        return;
    }
    for (p = &((dbm__sides *)*dbm__loop_of_acts(loop))->turns; *p != turns; p = &(*p)->next) {}
    *p = turns->next;
    dbm__loop_give(loop, turns, sizeof *turns);
}

/* Those of a gate, for a session that begins; NULL: no memory. */
static dbm__turns *dbm__turns_of(dbm_loop *loop, dbm__gate *gate, const char *site) {
    dbm__sides *sides = (dbm__sides *)*dbm__loop_of_acts(loop);
    dbm__turns *turns = sides->turns;
    while (turns != NULL && turns->gate != gate) turns = turns->next;
    if (turns == NULL) {
        turns = (dbm__turns *)dbm__act_take(loop, sizeof *turns, site);
        if (turns == NULL) return NULL;
        turns->gate = gate;
        turns->last = &turns->first;
        turns->next = sides->turns;
        sides->turns = turns;
    }
    turns->sessions++;
    return turns;
}

static void dbm__async_ran(dbm__worked *worked) {
    dbm__request *r = (dbm__request *)(void *)((char *)worked - offsetof(dbm__request, worked));
    dbm__async *a = r->side;
    dbm__turns *turns;
    dbm_status st;
    if (r->given) {
        turns = r->turns;
        dbm__async_ended(worked->loop, r);
        if (turns != NULL) dbm__turns_left(worked->loop, turns);
        return;
    }
    turns = a->turns;
    a->on = false;
    if (r->turned) {
        dbm__turn_wait(a, r);
    } else {
        if (turns != NULL && turns->patient == a) turns->patient = NULL;
        a->late = false;
        st = dbm__error_kept(dbm__loop_host(worked->loop), r->error, r->status);
        r->error = NULL;
        dbm__async_next(a, st);
        dbm__async_go(a);
    }
    if (turns != NULL) dbm__turns_next(turns);
}

static void dbm__async_here(dbm__job *job) {
    dbm__worked *worked = (dbm__worked *)(void *)job;
    worked->run(worked);
    worked->done(worked);
}

/* Has it run. False, and why: no worker will, and it need not be; what must be is then run on this thread, but never in here. */
static bool dbm__async_work(dbm__async *a, dbm__request *r, bool must, void (*run)(dbm__worked *worked), void (*done)(dbm__worked *worked)) {
    r->worked.must = must;
    r->worked.run = run;
    r->worked.done = done;
    if (dbm__loop_work(a->loop, &r->worked, NULL) == DBM_OK) return true;
    if (!must) return false;
    r->worked.job.run = dbm__async_here;
    dbm__loop_soon(a->loop, &r->worked.job);
    return true;
}

/* ---- a connection that is replaced or given back, step by step ------------------------------------------------------------------------ */

static void dbm__way_run(dbm__worked *worked) {
    dbm__request *r = (dbm__request *)(void *)((char *)worked - offsetof(dbm__request, worked));
    dbm__slot *slot = &r->side->work->slot;
    r->want = r->side->way(slot, DBM_OK, true);
    if (!r->given && r->want == DBM_STEP_DONE) r->error = dbm__error_keep(slot->pool->db->host, slot->way.status);
}

static bool dbm__way_on(dbm__async *a, dbm__request *r, int want);
static void dbm__way_over(dbm_loop *loop, dbm__async *a, dbm__request *r) {
    if (r->given) dbm__async_ended(loop, r);
    else dbm__async_go(a);
}
static void dbm__way_ran(dbm__worked *worked) {
    dbm__request *r = (dbm__request *)(void *)((char *)worked - offsetof(dbm__request, worked));
    dbm__async *a = r->side;
    if (!r->given && r->want == DBM_STEP_DONE) {
        (void)dbm__error_kept(dbm__loop_host(worked->loop), r->error, a->work->slot.way.status);
        r->error = NULL;
    }
    if (r->want == DBM_STEP_DONE || dbm__way_on(a, r, r->want)) dbm__way_over(worked->loop, a, r);
}

DBM__FN void dbm__side_watch(dbm__async *a, int fd, int want, int64_t until_us) {
    a->watch.serial = (uint32_t)a->work->slot.way.began_us | 1u; /* a call that waits may have got another connection, by the same number */
    if (want & DBM_STEP_BOTH) {
        if (a->fd >= 0 && a->fd != fd) want |= DBM__WATCH_NEW; /* a cancel's, which the adapter opens and closes by itself; or back from that */
        a->fd = fd;
    }
    dbm__loop_watch(a->loop, &a->watch, fd, want, until_us);
}

static bool dbm__way_on(dbm__async *a, dbm__request *r, int want) {
    dbm__slot *slot;
    if (want == DBM_STEP_DONE) return true;
    slot = &a->work->slot;
    if (want == DBM__STEP_BLOCKS) {
        (void)dbm__async_work(a, r, true, dbm__way_run, dbm__way_ran);
        return false;
    }
    dbm__side_watch(a, slot->way.fd, (want & DBM_STEP_BOTH) | (r->given ? 0 : DBM__WATCH_NEW), slot->way.until_us);
    return false;
}

DBM__FN bool dbm__side_way(dbm__async *a, dbm__request *r, int (*way)(dbm__slot *slot, dbm_status heard, bool may_block)) {
    a->way = way;
    return dbm__way_on(a, r, way(&a->work->slot, DBM_OK, false));
}

DBM__FN void dbm__side_closes(dbm__async *a) {
    if (a->fd >= 0) dbm__loop_forget(a->loop, a->fd);
    a->fd = -1;
}

static void dbm__side_heard(dbm__watch *watch, dbm_status heard) {
    dbm__async *a = DBM__ASYNC_OF(watch, watch);
    dbm__request *r = a->ending != NULL ? a->ending : a->first;
    dbm_loop *loop = a->loop;
    if (a->turned) {
        a->late = true;
        dbm__turn_forego(a);
    } else if (a->waits) {
        if (dbm__flow_heard(a, heard)) dbm__async_go(a);
    } else if (dbm__way_on(a, r, a->way(&a->work->slot, heard, false))) {
        dbm__way_over(loop, a, r);
    }
}

/* ---- one after the other -------------------------------------------------------------------------------------------------------------- */

static void dbm__async_unlink(dbm__async *a) {
    if (a->in == NULL) return;
    *a->in = a->next;
    if (a->next != NULL) a->next->in = a->in;
    a->in = NULL;
}

static void dbm__async_give(dbm__async *a, dbm__request *r) {
    dbm__slot *slot = &a->work->slot;
    dbm_loop *loop = a->loop;
    a->ending = r;
    dbm__async_leave(a, r);
    if (slot->connection.broken) dbm__side_closes(a);
    if (!dbm__giving_start(slot) || dbm__side_way(a, r, dbm__giving_step)) dbm__async_ended(loop, r);
}

/* Whether somebody is looking at the row of dbm_query_one(). */
static bool dbm__async_shows(const dbm__async *a) {
    const dbm_row *row = &a->work->one.row;
    return row->open && row->lent_to != NULL && row->lent_to != a->work;
}

/* Whether a row of a batch was not told yet. */
static bool dbm__async_lends(const dbm__async *a) {
    const dbm_rows *rows = a->work->rows;
    while (rows != NULL && (rows->row.lent_to == NULL || rows->row.lent_to == a->work)) rows = rows->next;
    return rows != NULL;
}

/* A carrier whose connection must go back before the next call. */
static bool dbm__async_spent(const dbm__async *a) {
    const dbm__slot *slot = &a->work->slot;
    return slot->reset_full || slot->connection.broken || slot->connection.state != DBM_STATE_NONE || (slot->pool->full_reset && a->served != 0);
}

/* A transaction ends within what the task has left, as within what is left of its session's own time. */
static void dbm__async_limit(dbm__async *a, dbm__request *r) {
    dbm__work *w = a->work;
    int64_t limit = r->act.stopped ? INT64_MIN : r->act.of_loop ? INT64_MAX : dbm__task_limit(dbm__act_task(&r->act));
    if (r->kind < DBM__ASYNC_COMMIT || limit >= w->base.deadline_us) return;
    a->limited = true;
    a->own_limit_us = w->base.deadline_us;
    w->base.deadline_us = limit;
    w->timed = w->unusual = true;
}

static void dbm__async_go(dbm__async *a) {
    if (a->work == NULL) {
        dbm__share_go(a->line);
        dbm__line_left(a->line);
        return;
    }
    while (!a->put_off && (a->batches || a->first != NULL)) {
        dbm__request *r = a->first;
        dbm_status st;
        if (a->line != NULL && !a->on && !a->batches) {
            if (dbm__async_shows(a) || dbm__async_spent(a)) { /* a row may be looked at for long */
                a->first = NULL;
                dbm__async_busy(a, false);
                dbm__side_back(a, r, &a->last->next);
                break;
            }
        }
        if (a->batches || (!a->on && dbm__batch_may(a))) {
            dbm__store(&a->side.runner, dbm__thread_number());
            a->batches = !dbm__batch(a);
            dbm__store(&a->side.runner, 0);
            if (a->batches) return;
            continue;
        }
        if (a->line != NULL && !a->on && r->next != NULL) { /* it goes alone, for nobody knows how long */
            dbm__request *others = r->next;
            dbm__side_back(a, others, &a->last->next);
            r->next = NULL;
            a->last = r;
        }
        if (r->kind >= DBM__ASYNC_COMMIT && !r->alone && dbm__async_lends(a)) { /* their callbacks, and tasks, look at them first */
            r->alone = true; /* but once */
            dbm__async_put_off(a);
            break;
        }
        if (!a->on) dbm__async_limit(a, r);
        if (r->act.done) { /* a call on a database that nobody waits for any more */
            st = DBM_E_CANCELLED;
        } else if (r->kind == DBM__ASYNC_FAIL) {
            (void)dbm__error_kept(a->work->db->host, r->error, DBM_E_NOMEM);
            r->error = NULL;
            st = a->work->top->sticky != DBM_OK ? dbm__level_again(a->work->top) : dbm__work_fail(a->work, r->site);
        } else if (!a->on && r->act.stopped && dbm__request_stops(r)) {
            st = dbm__fail(DBM_E_CANCELLED, DBM_STAGE_STATEMENT, a->work->db->name, r->site, "the call was cancelled before it was sent");
            if (r->kind != DBM__ASYNC_COMMIT) st = dbm__work_fail(a->work, r->site);
        } else if (a->blocks || r->kind == DBM__ASYNC_RUN || dbm__bulk_blocks(a, r)) {
            if (a->on || a->turned) return;
            if (a->pipes && !r->alone) { /* those of a batch before it are told first, of what a session shows */
                r->alone = true;
                dbm__async_put_off(a);
                break;
            }
            if (r->kind == DBM__ASYNC_RUN && a->turns != NULL && !a->work->gate_held && a->turns->patient != a && !a->late && dbm__load(&a->work->cancelled) == 0) { /* it can't be run twice */
                dbm__turn_wait(a, r);
                dbm__turns_next(a->turns);
                return;
            }
            a->on = true;
            r->turns = a->turns;
            r->patient = a->turns != NULL && a->turns->patient == a;
            if (r->kind == DBM__ASYNC_END) a->first = NULL;
            if (dbm__async_work(a, r, r->patient || a->late || r->kind == DBM__ASYNC_COMMIT || !dbm__request_stops(r), dbm__async_worker, dbm__async_ran)) return;
            a->on = false;
            st = dbm__work_fail(a->work, r->site);
        } else {
            bool over;
            a->on = true;
            dbm__store(&a->side.runner, dbm__thread_number());
            over = dbm__flow(a);
            dbm__store(&a->side.runner, 0);
            if (!over) return;
            a->on = false;
            st = a->rc;
            if (st == DBM_OK && r->kind == DBM__ASYNC_BULK_BEGIN && !r->bulk->own_way) continue;
            if (r->kind == DBM__ASYNC_END) {
                a->first = NULL;
                dbm__async_give(a, r);
                return;
            }
        }
        dbm__async_next(a, st);
    }
    if (a->line != NULL && a->first == NULL) dbm__async_put_off(&a->line->front);
}

/* Nothing comes after it. */
static void dbm__async_end(dbm__async *a, dbm__request *r, dbm_task *task, bool commit, const dbm__act_kind *kind) {
    a->end = NULL;
    r->writes = commit;
    dbm__share_left(a);
    dbm__async_unlink(a);
    if (a->task != NULL) dbm__task_disowns(a->task, &a->owned);
    dbm__act_begin(&r->act, a->loop, task, kind);
    dbm__async_put(a, r);
}

static void dbm__async_over(dbm__async *a) { dbm__async_end(a, a->end, NULL, true, &dbm__request_told); }

static dbm_act *dbm__async_owned_end(dbm__owned *owned, dbm_task *task, bool failed, dbm_status *st) {
    dbm__async *a = DBM__ASYNC_OF(owned, owned);
    dbm__request *r = a->end;
    *st = DBM_OK;
    a->task = NULL;
    dbm__async_end(a, r, task, !failed, &dbm__request_awaited);
    return &r->act;
}

/* The loop ends: sessions of the callback form are rolled back. */
static void dbm__async_end_all(dbm_loop *loop) {
    dbm__async *a, *next;
    if (dbm__loop_forked(loop)) return;
    dbm__shares_end(loop);
    for (a = ((dbm__sides *)*dbm__loop_of_acts(loop))->told; a != NULL; a = next) {
        next = a->next;
        if (a->sent != NULL) dbm__act_stop(&a->sent->act);
        if (a->first != NULL) dbm__act_stop(&a->first->act);
        dbm__async_end(a, a->end, NULL, false, &dbm__request_told);
    }
}

/* ---- beginning ------------------------------------------------------------------------------------------------------------------------ */

static void dbm__async_free(dbm__work *w) { dbm__free(w->db->host, w->side); }

static dbm__sides *dbm__sides_of(dbm_loop *loop) {
    void **sides = dbm__loop_of_acts(loop);
    if (*sides == NULL) *sides = dbm__alloc_zero(dbm__loop_host(loop), sizeof(dbm__sides));
    return (dbm__sides *)*sides;
}

/* To a task, or to the loop, as one of the callback form. */
static void dbm__async_belongs(dbm__async *a, dbm_task *task) {
    dbm__sides *sides = (dbm__sides *)*dbm__loop_of_acts(a->loop);
    dbm__async **all = task != NULL ? &sides->owned : &sides->told;
    a->task = task;
    if (task != NULL) dbm__task_owns(task, &a->owned);
    a->next = *all;
    a->in = all;
    if (a->next != NULL) a->next->in = &a->next;
    *all = a;
}

/* The side of a session that was just taken; NULL: no memory. */
static dbm__async *dbm__async_begin(dbm__work *w, dbm_loop *loop, dbm_task *task, const char *site) {
    dbm__async *a = (dbm__async *)(void *)w->side;
    dbm__request *end = dbm__request_make(loop, DBM__ASYNC_END, site, NULL, NULL, 0, false);
    dbm__turns *turns = NULL;
    bool ok = end != NULL;
    if (ok && a == NULL) ok = (a = (dbm__async *)dbm__alloc_zero(w->db->host, sizeof *a)) != NULL;
    if (ok && w->side == NULL) {
        a->side.free = dbm__async_free;
        a->side.cancelled = dbm__async_cancelled;
        a->work = w;
        w->side = &a->side;
    }
    if (ok && w->db->gate != NULL) ok = (turns = dbm__turns_of(loop, w->db->gate, site)) != NULL;
    if (!ok) {
        if (end != NULL) dbm__loop_give(loop, end, end->size);
        (void)dbm__no_memory(DBM_STAGE_CHECKOUT, w->db->name, site);
        return NULL;
    }
    a->turns = turns;
    a->turned = a->late = a->limited = false;
    a->loop = loop;
    a->end = end;
    a->first = a->last = a->ending = a->sent = NULL;
    a->last_sent = &a->sent;
    a->sent_count = a->served = 0;
    a->on = a->waits = a->put_off = a->batches = a->renews = a->of_rows = a->side.apart = false;
    a->line = NULL;
    a->db = w->db;
    a->at = 0;
    a->fd = -1;
    a->side.gen = w->base.gen;
    a->blocks = !dbm__pool_steps(w->slot.pool) || w->db->gate != NULL;
    a->pipes = w->db->replies && !a->blocks;
    dbm__watch_init(&a->watch, dbm__side_heard);
    a->owned.end = dbm__async_owned_end;
    if (task == NULL) dbm__loop_at_end(loop, dbm__async_end_all);
    dbm__async_belongs(a, task);
    return a;
}

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

static void dbm__line_left(dbm__line *line) {
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
static dbm__line *dbm__line_of(dbm_loop *loop, dbm_database *db, const char *site) {
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
    if (st != DBM_OK) a->work->base.status = NULL; /* it is said below, and whose it is may go when that was told */
    if (st != DBM_OK && a->end != NULL && a->side.gen == b->out->gen) { /* else the loop's end, or its task's, has ended it */
        dbm_error_info kept = dbm__self()->last;
        dbm__async_end(a, a->end, NULL, false, &dbm__request_told);
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
    if (a != NULL && begins) r = dbm__request_make(loop, DBM__ASYNC_BEGIN, site, NULL, NULL, 0, false);
    if (a == NULL) {
        dbm_error_info kept = dbm__self()->last;
        (void)dbm__session_leave(w);
        dbm__pool_give(slot);
        dbm__beginning_over(b, dbm__fail_again(&kept));
    } else if (begins && r == NULL) {
        dbm__beginning_begun(b, DBM_E_NOMEM);
    } else if (begins) {
        r->fn = dbm__beginning_begun;
        r->ud = b;
        dbm__act_begin(&r->act, loop, NULL, &dbm__request_told);
        dbm__async_put(a, r);
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
        if (dbm__loop_work(line->loop, &b->more->worked, NULL) != DBM_OK) dbm__beginning_failed(b);
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
    if (b->DBM__WAITS_FOR == 0) return; /* a worker has it, and then it is seen; or it has begun */
    b->DBM__WAITS_FOR = 0;
    if (b->more != NULL) dbm__loop_unwatch(DBM__LINE(b)->loop, &b->more->watch);
    dbm__beginning_cancelled(b);
}

static const dbm__act_kind dbm__beginning_awaited = { dbm__beginning_stop, NULL, dbm__beginning_reap };
static const dbm__act_kind dbm__beginning_told = { dbm__beginning_stop, dbm__beginning_tell, dbm__beginning_reap };

static dbm_act *dbm__async_open(dbm_loop *loop, dbm_task *task, dbm_database *db, const dbm_session_options *options, dbm_session *out,
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

/* ---- calls on a database ----------------------------------------------------------------------------------------------------------------- */

/* The oldest call that is still wanted; */
static dbm__request *dbm__share_first(dbm__line *h) {
    dbm__request *r;
    while ((r = h->front.first) != NULL && r->act.done) {
        h->front.first = r->next;
        dbm__request_done(r, DBM_OK);
    }
    return r;
}

/* it waits no more. */
static dbm__request *dbm__share_pop(dbm__line *h) {
    dbm__request *r = dbm__share_first(h);
    if (r == NULL) return NULL;
    h->front.first = r->next;
    r->next = NULL;
    h->waiting--;
    return r;
}

/* Nobody is to be told any more. */
static void dbm__share_untold(dbm__request *r) {
    dbm__line *h = r->line;
    r->reaped = true;
    if (r->listed) return;
    if (r->row != NULL) dbm__async_put_off(&h->front); /* its carrier may be free now */
    dbm__loop_give(h->loop, r, r->size);
    dbm__line_left(h);
}

/* A call ends now, though its answer may be to come. False: it is the one that its carrier runs, alone. */
static bool dbm__share_stop(dbm__request *r) {
    const dbm__async *a = r->side;
    dbm__line *h = r->line;
    bool sent = r->gen != 0 && r->status == DBM_OK;
    if (a->work != NULL && a->first == r && (a->on || a->turned)) return false;
    if (a->work == NULL) h->waiting--;
    if (sent && r->writes) dbm__add(&h->by.db->pool->in_doubt, 1);
    dbm__act_done(&r->act, dbm__fail(sent && r->writes ? DBM_E_IN_DOUBT : DBM_E_CANCELLED, DBM_STAGE_STATEMENT, h->by.db->name, r->site, "the call was cancelled %s",
                                     !sent ? "before it was sent" : r->writes ? "after it was sent, so it may be done or not" : "before it was answered"));
    return true;
}

/* It is no carrier any more. */
static void dbm__share_left(dbm__async *a) {
    dbm__line *h = a->line;
    dbm__async **p = h != NULL ? &h->carriers : NULL;
    if (p == NULL) return;
    while (*p != a) p = &(*p)->next_carrier;
    *p = a->next_carrier;
    a->line = NULL;
    dbm__async_put_off(&h->front);
    dbm__line_left(h);
}

static bool dbm__pool_wanted(const dbm__pool *pool) { return (dbm__load(&pool->slow) & DBM__SLOW_TAKE) != 0; }

/* How many connections can be had without waiting for those that are out. */
static int dbm__pool_has(const dbm__pool *pool) {
    int i, n = 0;
    for (i = 0; i < pool->slot_count && !dbm__pool_wanted(pool); i++) {
        dbm__word state = dbm__load(&dbm__pool_slot(pool, i)->state);
        if (state == DBM__SLOT_IDLE || state == DBM__SLOT_EMPTY) n++;
    }
    return n;
}

static bool dbm__carrier_free(dbm__async *a) {
    if (a->first != NULL || a->sent != NULL || dbm__async_shows(a)) return false;
    dbm__lent_end(a->work);
    return true;
}

/* Some of the calls that wait; or one that has many rows, of which it becomes the session. */
static void dbm__share_take(dbm__line *h, dbm__async *a, int most) {
    dbm__request *r;
    while (most-- > 0 && h->front.first != NULL && (a->first == NULL || h->front.first->kind != DBM__ASYNC_QUERY) && (r = dbm__share_pop(h)) != NULL) {
        dbm_task *task = dbm__act_task(&r->act);
        dbm__async_queue(a, r);
        if (r->kind != DBM__ASYNC_QUERY) continue;
        dbm__share_left(a);
        a->side.apart = false;
        a->of_rows = true;
        most = 0;
        dbm__async_unlink(a);
        dbm__async_belongs(a, task);
    }
    if (a->first == NULL) return;
    dbm__async_busy(a, true);
    dbm__async_go(a);
}

/* A carrier can't be had: unless there is another one, the calls that wanted it fail as it does. */
static void dbm__carrier_failed(dbm__line *h, dbm_status st) {
    dbm_error_info kept = dbm__self()->last;
    dbm__request *r;
    while (h->carriers == NULL && h->front.first != NULL && h->front.first->began_us <= h->began_us && (r = dbm__share_pop(h)) != NULL) {
        dbm__self()->last = kept;
        dbm__copy_cut(dbm__self()->last.site, sizeof kept.site, r->site);
        dbm__request_done(r, st);
    }
}

static void dbm__carrier_begun(void *ud, dbm_status st) {
    dbm__line *h = (dbm__line *)ud;
    h->begins = false;
    if (st == DBM_OK) {
        dbm__async *a = (dbm__async *)(void *)((dbm__work *)h->begun.slot)->side;
        a->line = h;
        a->side.apart = true;
        a->pipes = a->pipes && !h->by.db->pool->full_reset;
        a->next_carrier = h->carriers;
        h->carriers = a;
        h->users++;
    } else {
        dbm__carrier_failed(h, st);
    }
    dbm__share_go(h);
    dbm__line_left(h);
}

static void dbm__carrier_begin(dbm__line *h) {
    dbm_session_options options;
    memset(&options, 0, sizeof options);
    options.autocommit = true;
    h->began_us = dbm__now(h->by.db->host);
    h->begins = true;
    h->users++;
    if (dbm__async_open(h->loop, NULL, h->by.db, &options, &h->begun, dbm__carrier_begun, h, h->front.first->site) != NULL) return;
    h->begins = false;
    dbm__carrier_failed(h, dbm__self()->last.status);
    dbm__line_left(h);
}

/* All carriers have something to do, and no other connection is to be had: calls wait as long as sessions do. */
static void dbm__share_late(dbm__line *h) {
    int64_t most = (int64_t)h->by.db->settings->config.pool.timeout_ms * 1000, waited;
    dbm__request *r;
    while (most > 0 && (r = dbm__share_first(h)) != NULL && (waited = dbm__now(h->by.db->host) - r->began_us) >= most) {
        (void)dbm__share_pop(h);
        dbm__request_done(r, dbm__pool_timed_out(h->by.db->pool, true, waited, r->site));
    }
}

static void dbm__share_go(dbm__line *h) {
    const dbm__pool *pool = h->by.db->pool;
    dbm__async *a, *next;
    int idle = (h->begins ? 1 : 0) + (h->waiting > 1 ? dbm__pool_has(pool) : 0); /* and what may come to be */
    for (a = h->carriers; a != NULL; a = a->next_carrier) if (dbm__carrier_free(a)) idle++;
    for (a = h->carriers; a != NULL; a = next) {
        next = a->next_carrier;
        if (!dbm__carrier_free(a)) continue;
        if (h->waiting == 0 || dbm__async_spent(a) || (a->served >= DBM__SHARE_SERVED && dbm__pool_wanted(pool))) {
            if (a->work->rows == NULL) dbm__async_over(a); /* else one is being looked at */
            idle--;
        } else {
            int most = (h->waiting + idle - 1) / idle;
            dbm__share_take(h, a, !a->pipes ? 1 : most < DBM__SHARE_CALLS ? most : DBM__SHARE_CALLS);
            idle--;
        }
    }
    if (h->waiting == 0 || h->begins || dbm__loop_ends(h->loop)) return;
    if (h->carriers == NULL || dbm__pool_has(pool) != 0) {
        dbm__carrier_begin(h);
    } else {
        dbm__share_late(h);
        if (h->looks || h->waiting == 0) return;
        h->looks = true;
        dbm__loop_watch(h->loop, &h->later, -1, 0, dbm__now(h->by.db->host) + DBM__SHARE_LOOK_US);
    }
}

/* The loop ends: calls have been asked to, and carriers will be. */
static void dbm__shares_end(dbm_loop *loop) {
    dbm__line *h, *next;
    for (h = dbm__sides_of(loop)->lines; h != NULL; h = next) {
        dbm__request *r;
        next = h->next;
        h->users++;
        for (r = h->front.first; r != NULL; r = r->next) dbm__act_stop(&r->act);
        (void)dbm__share_pop(h);
        if (h->named && h->ends) { /* nobody is told anything any more who might name it */
            h->named = false;
            dbm__line_left(h);
        }
        h->ends = true;
        dbm__line_left(h);
    }
}

/* Where calls on it wait, for this thread's task or, `told`, of the callback form, for which it is held; NULL, and why. */
static dbm__async *dbm__share_front(const dbm_session *s, bool told, const char *site) {
    dbm__line *h = s->step == DBM__ON_LOOP ? (dbm__line *)s->slot : NULL;
    dbm_database *db = h != NULL ? h->by.db : (dbm_database *)s->slot;
    dbm_loop *loop = h != NULL ? h->loop : (dbm_loop *)dbm__self()->loop;
    dbm_task *task = loop != NULL && !told ? dbm__task_current(loop) : NULL;
    if (db == NULL) {
        (void)dbm__fail_null("database");
    } else if (loop == NULL || (!told && task == NULL)) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_CHECKOUT, db->name, site, loop == NULL ? "a call of dbm_async_... on a database, and no loop runs here: name it, with dbm_async_on(loop, db) in the place "
                  "of db" : "no task runs here that could await the call: use the forms with _cb");
    } else if (dbm__loop_alive(loop, site) == DBM_OK && dbm__session_allowed(db, NULL, site) == DBM_OK && (h = dbm__line_of(loop, db, site)) != NULL) {
        h->front.task = task;
        dbm__async_put_off(&h->front); /* which holds it */
        dbm__line_left(h);
        return &h->front;
    }
    return NULL;
}

/* ---- the public calls ------------------------------------------------------------------------------------------------------------------- */

static bool dbm__async_task_given(dbm_task *t) {
    if (t == NULL) (void)dbm__fail_null("task");
    return t != NULL;
}

DBM__DEF dbm_act *dbm__async_session_on(dbm_task *t, dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site) {
    return dbm__async_task_given(t) ? dbm__async_open(dbm__task_loop(t), t, db, options, out, NULL, NULL, site) : NULL;
}

DBM__DEF dbm_act *dbm__async_session(dbm_task *t, const char *name, const dbm_session_options *options, dbm_session *out, const char *site) {
    dbm_database *db;
    if (!dbm__async_task_given(t)) return NULL;
    db = dbm_get(dbm__loop_manager(dbm__task_loop(t)), name);
    return db != NULL ? dbm__async_session_on(t, db, options, out, site) : NULL;
}

DBM__DEF dbm_status dbm__async_session_cb(dbm_loop *loop, dbm_database *db, const dbm_session_options *options, dbm_session *out,
                                          dbm_async_fn fn, void *ud, const char *site) {
    if (loop == NULL) return dbm__fail_null("loop");
    if (dbm__loop_alive(loop, site) != DBM_OK) return dbm__self()->last.status;
    return dbm__async_open(loop, NULL, db, options, out, fn, ud, site) != NULL ? DBM_OK : dbm__self()->last.status;
}

DBM__FN dbm__async *dbm__async_of(dbm_session *s, bool of_task, const char *site) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm__async *a;
    if (w == NULL) {
        (void)dbm__session_bad(s, site);
        return NULL;
    }
    a = (dbm__async *)(void *)w->side;
    if (a == NULL || a->side.gen != w->base.gen || a->end == NULL) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "a call of dbm_async_... on a session that dbm_async_session did not begin");
        return NULL;
    }
    if (of_task && a->task == NULL) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, site, "the session belongs to no task that could await: use the forms with _cb");
        return NULL;
    }
    return of_task || dbm__loop_alive(a->loop, site) == DBM_OK ? a : NULL;
}

DBM__FN dbm_act *dbm__async_add(dbm__async *a, dbm__request *r, dbm__async_to to) {
    if (r == NULL) return NULL;
    r->fn = to.fn;
    r->ud = to.ud;
    dbm__act_begin(&r->act, a->loop, to.told ? NULL : a->task, to.told ? &dbm__request_told : &dbm__request_awaited);
    dbm__async_put(a, r);
    return &r->act;
}

static dbm_act *dbm__async_add_statement(dbm__async *a, dbm__async_to to, const char *site, const char *sql, const dbm_value *values, int count, bool named) {
    dbm__request *r = dbm__request_make(a->loop, to.kind, site, sql, values, count, named);
    if (r == NULL) return NULL;
    if (to.kind == DBM__ASYNC_QUERY) r->rows_out = (dbm_rows **)to.out;
    else r->row_out = (dbm_row **)to.out;
    return dbm__async_add(a, r, to);
}

/* A failure of the call's values comes in its turn, and sticks; on a database at once. */
static dbm_act *dbm__async_bad(dbm__async *a, dbm__async_to to, const char *site) {
    return a->work == NULL ? NULL : dbm__async_add(a, dbm__request_failed(a->loop, site), to);
}

typedef struct dbm__async_words { dbm__async *a; dbm__async_to to; const char *site; dbm_act *act; } dbm__async_words;
static dbm_status dbm__async_words_put(void *ud, const dbm_value *words, int count, bool writes) {
    dbm__async_words *x = (dbm__async_words *)ud;
    dbm__request *r = dbm__request_make(x->a->loop, DBM__ASYNC_COMMAND, x->site, NULL, words, count, false);
    if (r == NULL) return DBM_E_NOMEM;
    r->writes = writes;
    r->row_out = (dbm_row **)x->to.out;
    x->act = dbm__async_add(x->a, r, x->to);
    return DBM_OK;
}

static dbm__async *dbm__async_ready(dbm_session *s, dbm__async_to to, const char *site) {
    if (to.out != NULL) *(void **)to.out = NULL;
    if (s != NULL && (s->step == DBM__ON_DATABASE || s->step == DBM__ON_LOOP)) return dbm__share_front(s, to.told, site);
    return dbm__async_of(s, !to.told, site);
}

/* A command's words; its values by codes, or from an array. */
static dbm_act *dbm__async_command(dbm__async *a, dbm__async_to to, const char *site, const char *format, const dbm_value *values, int count, const char *codes, va_list *ap) {
    dbm__async_words x;
    dbm__redis_use use;
    dbm_session on = dbm__database_target(a->db);
    dbm_status st;
    x.a = a;
    x.to = to;
    x.site = site;
    x.act = NULL;
    use.use = dbm__async_words_put;
    use.ud = &x;
    st = ap != NULL ? dbm__redis_commanded(&on, site, &use, format, codes, ap)
        : dbm__redis_callv(&on, site, DBM__REDIS_WANT_WORDS | (format != NULL ? DBM__REDIS_FORMAT : 0), &use, format, values, count);
    return st != DBM_OK && x.act == NULL ? dbm__async_bad(a, to, site) : x.act;
}

static dbm_act *dbm__async_do(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const char *codes, va_list *ap) {
    dbm_value values[DBM__MAX_VALUES];
    bool named = false;
    int count = 0;
    dbm__async *a = dbm__async_ready(s, to, site);
    if (a == NULL) return NULL;
    if (to.kind == DBM__ASYNC_COMMAND) return dbm__async_command(a, to, site, sql, NULL, 0, codes, ap);
    if (codes[0] != 0 && dbm__values_read(values, &count, &named, codes, *ap) != DBM_OK) return dbm__async_bad(a, to, site);
    return dbm__async_add_statement(a, to, site, sql, values, count, named);
}

DBM__DEF dbm_act *dbm__async_statement(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const char *codes, ...) {
    dbm_act *act;
    va_list ap;
    va_start(ap, codes);
    act = dbm__async_do(s, to, site, sql, codes, &ap);
    va_end(ap);
    return act;
}

DBM__DEF dbm_act *dbm__async_statementv(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const dbm_value *values, int count) {
    dbm_value copy[DBM__MAX_VALUES];
    bool named = false;
    int i;
    dbm__async *a = dbm__async_ready(s, to, site);
    if (a == NULL) return NULL;
    if (to.kind == DBM__ASYNC_COMMAND) return dbm__async_command(a, to, site, sql, values, count, NULL, NULL);
    if (count < 0 || count > DBM__MAX_VALUES || (count > 0 && values == NULL)) {
        dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, a->db->name, site, "%d values: a call takes 0 to %d", count, (int)DBM__MAX_VALUES);
        return dbm__async_bad(a, to, site);
    }
    for (i = 0; i < count; i++) {
        copy[i] = values[i];
        if (values[i].name != NULL) named = true;
    }
    if (dbm__values_check(copy, count, a->db->name, site) != DBM_OK) return dbm__async_bad(a, to, site);
    return dbm__async_add_statement(a, to, site, sql, copy, count, named);
}

DBM__DEF dbm_shared *dbm__async_share(dbm_loop *loop, dbm_database *db, const char *site) {
    dbm__line *h = NULL;
    if (loop == NULL || db == NULL) (void)dbm__fail_null(loop == NULL ? "loop" : "database");
    else if (dbm__loop_alive(loop, site) == DBM_OK && dbm__session_allowed(db, NULL, site) == DBM_OK) h = dbm__line_of(loop, db, site);
    if (h != NULL && h->named) dbm__line_left(h);
    if (h != NULL) h->named = true;
    return (dbm_shared *)(void *)h;
}

DBM__DEF dbm_act *dbm__async_step(dbm_session *s, dbm__async_to to, const char *site) {
    dbm__async *a = dbm__async_of(s, !to.told, site);
    if (a == NULL) return NULL;
    if (to.kind == DBM__ASYNC_END) {
        dbm__request *r = a->end;
        r->fn = to.fn;
        r->ud = to.ud;
        s->slot = NULL;
        s->gen = 0;
        dbm__async_end(a, r, to.told ? NULL : a->task, true, to.told ? &dbm__request_told : &dbm__request_awaited);
        return &r->act;
    }
    return dbm__async_add(a, dbm__request_make(a->loop, to.kind, site, NULL, NULL, 0, false), to);
}

DBM__DEF dbm_act *dbm__async_run(dbm_session *s, dbm__async_to to, dbm_async_run_fn run, void *ud, const char *site) {
    dbm__async *a = dbm__async_of(s, !to.told, site);
    dbm__request *r = a != NULL ? dbm__request_make(a->loop, DBM__ASYNC_RUN, site, NULL, NULL, 0, false) : NULL;
    if (r == NULL) return NULL;
    r->run = run;
    r->run_ud = ud;
    return dbm__async_add(a, r, to);
}

DBM__DEF dbm_act *dbm__async_rows(dbm_rows *rows, dbm__async_to to, const char *site) {
    dbm_session s;
    dbm__async *a;
    dbm__request *r;
    if (to.out != NULL) *(void **)to.out = NULL;
    if (rows == NULL) {
        (void)dbm__fail_null("rows");
        return NULL;
    }
    if (!rows->row.open) {
        (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_ROW, NULL, site, "these rows have ended, with dbm_async_rows_end or with their session");
        return NULL;
    }
    s.slot = rows->row.work;
    s.gen = rows->row.gen;
    s.step = 0;
    a = dbm__async_of(&s, !to.told, site);
    r = a != NULL ? dbm__request_make(a->loop, to.kind, site, NULL, NULL, 0, false) : NULL;
    if (r == NULL) return NULL;
    r->rows = rows;
    r->row_out = (dbm_row **)to.out;
    return dbm__async_add(a, r, to);
}

/* A row that is in memory: no act is needed for it. */
DBM__DEF bool dbm__async_row(dbm_rows *rows, dbm_row **row) {
    dbm__work *w;
    dbm_status st;
    if (rows != NULL && rows->row.came) {
        rows->row.came = false;
        return true;
    }
    *row = NULL;
    if (rows == NULL || !rows->row.open) return false;
    w = rows->row.work;
    if (w->side == NULL || w->side->busy || dbm__load(&w->trouble) != 0 || rows->row.gen != w->gen || w->db->gate != NULL || !dbm__pool_steps(w->slot.pool)) return false;
    if ((rows->row.number & 63) == 63) return false; /* others have a turn */
    if (!rows->row.fresh) {
        if (rows->row.ended || rows->row.op.result == NULL || w->db->adapter->fetch == NULL) return false;
        rows->row.op.kind = DBM_OP_FETCH;
        st = w->db->adapter->fetch(&w->slot.connection, &rows->row.op);
        if (st == DBM_E_UNSUPPORTED) return false;
        if (st != DBM_OK && st != DBM_DONE) st = dbm__op_failed(&w->slot.connection, DBM_OP_FETCH, st);
        if (dbm__rows_fetched(rows, st) != DBM_OK) return false; /* dbm_async_next() tells that again */
    } else {
        (void)dbm__rows_at_hand(rows, &st);
    }
    *row = &rows->row;
    return true;
}
DBM__DEF void dbm__async_came(dbm_rows *rows) { rows->row.came = true; }
#else
DBM__DEF dbm_shared *dbm__async_share(dbm_loop *loop, dbm_database *db, const char *site) { (void)loop; (void)db; (void)site; return NULL; }
static dbm_status dbm__no_sessions(void) {
    return dbm__fail(DBM_E_NOT_COMPILED, DBM_STAGE_NONE, NULL, NULL, "the asynchronous half is not compiled in: define DBM_WITH_ASYNC in the file with DBM_IMPLEMENTATION");
}
DBM__DEF dbm_act *dbm__async_session_on(dbm_task *t, dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site) {
    (void)t; (void)db; (void)options; (void)site;
    if (out != NULL) { out->slot = NULL; out->step = 0; out->gen = (uint32_t)DBM_E_NOT_COMPILED; }
    (void)dbm__no_sessions();
    return NULL;
}
DBM__DEF dbm_act *dbm__async_session(dbm_task *t, const char *name, const dbm_session_options *options, dbm_session *out, const char *site) {
    (void)name;
    return dbm__async_session_on(t, NULL, options, out, site);
}
DBM__DEF dbm_status dbm__async_session_cb(dbm_loop *loop, dbm_database *db, const dbm_session_options *options, dbm_session *out, dbm_async_fn fn, void *ud, const char *site) {
    (void)loop; (void)fn; (void)ud;
    (void)dbm__async_session_on(NULL, db, options, out, site);
    return DBM_E_NOT_COMPILED;
}
DBM__DEF dbm_act *dbm__async_statement(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const char *codes, ...) { (void)s; (void)to; (void)site; (void)sql; (void)codes; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_statementv(dbm_session *s, dbm__async_to to, const char *site, const char *sql, const dbm_value *values, int count) { (void)s; (void)to; (void)site; (void)sql; (void)values; (void)count; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_step(dbm_session *s, dbm__async_to to, const char *site) { (void)s; (void)to; (void)site; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_rows(dbm_rows *rows, dbm__async_to to, const char *site) { (void)rows; (void)to; (void)site; (void)dbm__no_sessions(); return NULL; }
DBM__DEF dbm_act *dbm__async_run(dbm_session *s, dbm__async_to to, dbm_async_run_fn run, void *ud, const char *site) { (void)s; (void)to; (void)run; (void)ud; (void)site; (void)dbm__no_sessions(); return NULL; }
DBM__DEF bool dbm__async_row(dbm_rows *rows, dbm_row **row) { (void)rows; *row = NULL; return false; }
DBM__DEF void dbm__async_came(dbm_rows *rows) { (void)rows; }
#endif /* DBM_HAS_ASYNC */
