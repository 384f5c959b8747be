/* Sessions on a loop: their begin, the order of their calls, their end; and what of it blocks, on workers.
 * May call: api/, base/, adapter/, pool/, sql/, session/, data/, manager/, async.h, side.h.
 * Must not know: how a statement is run, who waits for a connection.
 *
 * From its last step on a slot that goes back is not ours, nor is the side: what is left to do then stands in the request. */
#include "side.h"
#if DBM_HAS_ASYNC

#define DBM__ASYNC_OF(field, p) ((dbm__async *)(void *)((char *)(p) - offsetof(dbm__async, field)))

static void dbm__turn_forego(dbm__async *a);
static bool dbm__async_recall(dbm__async *a, dbm__request *r);

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
    else if (!dbm__async_recall(a, r) && dbm__cas(&a->work->cancelled, &not_yet, DBM__CALL_CANCELLED)) {
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
    for (i = 0; named && i < count; i++) if (values[i].name != NULL) size += strlen(values[i].name) + 1; /* those without are refused in its turn */
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
            size_t n = values[i].name != NULL ? strlen(values[i].name) + 1 : 0;
            if (n != 0) copy[i].name = (const char *)memcpy(at, values[i].name, n);
            at += n;
        }
    }
    if (sql != NULL) r->sql = (const char *)memcpy(at, sql, text);
    r->hint = dbm__cache_hint(sql);
    return r;
}

/* One that has failed already, in its turn: this thread's last failure. */
DBM__FN dbm__request *dbm__request_failed(dbm_loop *loop, const char *site) {
    dbm__request *r = dbm__request_make(loop, DBM__ASYNC_FAIL, site, NULL, NULL, 0, false);
    if (r == NULL) return NULL;
    r->error = dbm__error_keep(dbm__loop_host(loop), dbm__self()->last.status);
    return r;
}

DBM__FN void dbm__request_done(dbm__request *r, dbm_status st) {
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
DBM__FN void dbm__async_put_off(dbm__async *a) {
    if (a->put_off) return;
    a->put_off = true;
    a->turn.run = dbm__async_turn;
    if (a->work == NULL && a->line != NULL) a->line->users++;
    dbm__loop_at_turn_end(a->loop, &a->turn);
}

DBM__FN void dbm__async_busy(dbm__async *a, bool busy) {
    a->side.busy = busy;
    if (busy && dbm__load(&a->work->trouble) != 1) dbm__store(&a->work->trouble, DBM__SIDE_BUSY);
    if (!busy && dbm__load(&a->work->trouble) != 0) dbm__work_look_again(a->work);
}

DBM__FN void dbm__async_queue(dbm__async *a, dbm__request *r) {
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

DBM__FN dbm_act *dbm__async_add(dbm__async *a, dbm__request *r, dbm__async_to to) {
    if (r == NULL) return NULL;
    r->fn = to.fn;
    r->ud = to.ud;
    dbm__act_begin(&r->act, a->loop, to.told ? NULL : a->task, to.told ? &dbm__request_told : &dbm__request_awaited);
    dbm__async_put(a, r);
    return &r->act;
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
        if (r->row == &a->work->one.row && !r->act.done && !(a->db->adapter->flags & DBM_ADAPTER_DOCUMENTS)) r->row = dbm__row_copy(r->row, r->site); /* so that others can have the connection */
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
    if (a->renews && w->top->sticky == DBM_OK && dbm__work_renew(w) != DBM_OK) return dbm__work_fail(w, r->site);
    a->renews = false;
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
        for (a = i == 0 ? sides->told : sides->owned; a != NULL; a = a->next) if (dbm__load(&a->work->cancelled) != 0) dbm__flow_cancel(a);
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
    dbm__loop_unwatch(a->loop, &a->watch);
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

/* No worker was free so far for a call that is cancelled, or late. A bulk that the worker only goes on with has begun. */
static bool dbm__async_recall(dbm__async *a, dbm__request *r) {
    dbm__turns *turns = a->turns;
    if (!a->on || r->worked.run != dbm__async_worker || (r->kind == DBM__ASYNC_BULK_BEGIN && !a->blocks) || !dbm__loop_work_recall(a->loop, &r->worked)) return false;
    if (turns != NULL && turns->patient == a) turns->patient = NULL;
    dbm__loop_unwatch(a->loop, &a->watch);
    a->on = a->late = false;
    if (!r->act.stopped) {
        (void)dbm__fail(DBM_E_TIMEOUT, DBM_STAGE_STATEMENT, a->work->db->name, r->site, "the session's deadline (timeout_ms) passed before a worker of the loop was free");
        dbm__async_next(a, dbm__work_fail(a->work, r->site));
    }
    dbm__async_go(a);
    if (turns != NULL) dbm__turns_next(turns);
    return true;
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
    if (dbm__loop_work(a->loop, &r->worked) == DBM_OK) return true;
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
    } else if (dbm__load(&a->side.waits) != 0) {
        dbm__line *h = a->line;
        dbm__async *other, *next;
        if (h != NULL && a->gathers_us != 0 && heard == DBM_E_TIMEOUT) {
            h->lead = a;
            heard = DBM_OK;
        }
        if (dbm__flow_heard(a, heard)) dbm__async_go(a);
        for (other = h != NULL ? h->carriers : NULL; other != NULL; other = next) {
            next = other->next_carrier;
            if (other == a || other->gathers_us == 0 || dbm__load(&other->side.waits) == 0) continue;
            dbm__loop_unwatch(loop, &other->watch);
            if (dbm__flow_heard(other, DBM_OK)) dbm__async_go(other);
        }
    } else if (a->on && r->worked.run == dbm__async_worker) {
        (void)dbm__async_recall(a, r); /* else a worker has it, and looks at the clock */
    } else if (dbm__way_on(a, r, a->way(&a->work->slot, heard, false))) {
        dbm__way_over(loop, a, r);
    }
}

/* ---- one after the other -------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__async_unlink(dbm__async *a) {
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
DBM__FN bool dbm__async_shows(const dbm__async *a) {
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
DBM__FN bool dbm__async_spent(const dbm__async *a) {
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

DBM__FN void dbm__async_go(dbm__async *a) {
    if (a->work == NULL) {
        dbm__share_go(a->line);
        dbm__line_left(a->line);
        return;
    }
    while (!a->put_off && (a->batches || a->first != NULL)) {
        dbm__request *r = a->first;
        dbm_status st;
        bool half = r != NULL && r->kind == DBM__ASYNC_BULK_BEGIN && r->bulk != NULL && !a->on; /* the worker goes on with it, or drops it */
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
        } else if (!a->on && !half && r->act.stopped && dbm__request_stops(r)) {
            st = dbm__fail(DBM_E_CANCELLED, DBM_STAGE_STATEMENT, a->work->db->name, r->site, "the call was cancelled before it was sent");
            if (r->kind != DBM__ASYNC_COMMIT) st = dbm__work_fail(a->work, r->site);
        } else if (a->blocks || r->kind == DBM__ASYNC_RUN || dbm__bulk_blocks(a, r)) {
            int64_t until;
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
            until = dbm__request_stops(r) && !half ? a->work->top->deadline_us : INT64_MAX; /* the session is a worker's from here on */
            a->on = true;
            r->turns = a->turns;
            r->patient = a->turns != NULL && a->turns->patient == a;
            if (r->kind == DBM__ASYNC_END) a->first = NULL;
            if (dbm__async_work(a, r, r->patient || a->late || half || r->kind == DBM__ASYNC_COMMIT || !dbm__request_stops(r), dbm__async_worker, dbm__async_ran)) {
                if (until != INT64_MAX) dbm__loop_watch(a->loop, &a->watch, -1, 0, until);
                return;
            }
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
DBM__FN void dbm__async_end(dbm__async *a, dbm__request *r, dbm_task *task, bool commit, bool told) {
    if (dbm__load(&a->work->cancelled) != 0) dbm__flow_cancel(a); /* which dbm__async_look() was to find, and does not any more */
    a->end = NULL;
    dbm__store32(&a->open, 0);
    r->writes = commit;
    dbm__async_unlink(a);
    if (a->task != NULL) dbm__task_disowns(a->task, &a->owned);
    dbm__act_begin(&r->act, a->loop, task, told ? &dbm__request_told : &dbm__request_awaited);
    dbm__share_left(a);
    dbm__async_put(a, r);
}

DBM__FN void dbm__async_over(dbm__async *a) { dbm__async_end(a, a->end, NULL, true, true); }

static dbm_act *dbm__async_owned_end(dbm__owned *owned, dbm_task *task, bool failed, dbm_status *st) {
    dbm__async *a = DBM__ASYNC_OF(owned, owned);
    dbm__request *r = a->end;
    *st = DBM_OK;
    a->task = NULL;
    dbm__async_end(a, r, task, !failed, false);
    return &r->act;
}

/* The loop ends: sessions of the callback form are rolled back. */
DBM__FN void dbm__async_end_all(dbm_loop *loop) {
    dbm__async *a, *next;
    if (dbm__loop_forked(loop)) return;
    dbm__shares_end(loop);
    for (a = ((dbm__sides *)*dbm__loop_of_acts(loop))->told; a != NULL; a = next) {
        next = a->next;
        if (a->sent != NULL) dbm__act_stop(&a->sent->act);
        if (a->first != NULL) dbm__act_stop(&a->first->act);
        dbm__async_end(a, a->end, NULL, false, true);
    }
}

/* ---- beginning ------------------------------------------------------------------------------------------------------- */

static void dbm__async_free(dbm__work *w) { dbm__free(w->db->host, w->side); }

DBM__FN dbm__sides *dbm__sides_of(dbm_loop *loop) {
    void **sides = dbm__loop_of_acts(loop);
    if (*sides == NULL) *sides = dbm__alloc_zero(dbm__loop_host(loop), sizeof(dbm__sides));
    return (dbm__sides *)*sides;
}

/* To a task, or to the loop, as one of the callback form. */
DBM__FN void dbm__async_belongs(dbm__async *a, dbm_task *task) {
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
DBM__FN dbm__async *dbm__async_begin(dbm__work *w, dbm_loop *loop, dbm_task *task, const char *site) {
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
    dbm__store32(&a->open, w->base.gen);
    a->first = a->last = a->ending = a->sent = NULL;
    a->last_sent = &a->sent;
    a->sent_count = a->served = 0;
    a->gathers_us = 0;
    a->on = a->put_off = a->batches = a->renews = a->of_rows = a->side.apart = false;
    a->line = NULL;
    a->db = w->db;
    a->at = 0;
    a->fd = -1;
    dbm__store(&a->side.waits, 0);
    a->side.gen = w->base.gen;
    a->blocks = !dbm__pool_steps(w->slot.pool) || w->db->gate != NULL;
    a->pipes = w->db->replies && !a->blocks;
    dbm__watch_init(&a->watch, dbm__side_heard);
    a->owned.end = dbm__async_owned_end;
    if (task == NULL) dbm__loop_at_end(loop, dbm__async_end_all);
    dbm__async_belongs(a, task);
    return a;
}
#endif /* DBM_HAS_ASYNC */
