/* Calls on a database: its carriers take them.
 * May call: api/, base/, pool/, session/, async.h, side.h.
 * Must not know: how a call is run. */
#include "side.h"
#if DBM_HAS_ASYNC

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
DBM__FN void dbm__share_untold(dbm__request *r) {
    dbm__line *h = r->line;
    r->reaped = true;
    if (r->listed) return;
    if (r->row != NULL) dbm__async_put_off(&h->front); /* its carrier may be free now */
    dbm__loop_give(h->loop, r, r->size);
    dbm__line_left(h);
}

/* A call ends now, though its answer may be to come. False: it is the one that its carrier runs, alone. */
DBM__FN bool dbm__share_stop(dbm__request *r) {
    dbm__async *a = r->side;
    dbm__line *h = r->line;
    bool sent = r->gen != 0 && r->status == DBM_OK;
    if (a->work != NULL && a->first == r && (a->on || a->turned)) return false;
    if (a->work == NULL) h->waiting--;
    if (sent && r->writes) dbm__add(&h->by.db->pool->in_doubt, 1);
    dbm__act_done(&r->act, dbm__fail(sent && r->writes ? DBM_E_IN_DOUBT : DBM_E_CANCELLED, DBM_STAGE_STATEMENT, h->by.db->name, r->site, "the call was cancelled %s",
                                     !sent ? "before it was sent" : r->writes ? "after it was sent, so it may be done or not" : "before it was answered"));
    if (a->sent == r) dbm__batch_stop(a);
    return true;
}

/* It is no carrier any more. */
DBM__FN void dbm__share_left(dbm__async *a) {
    dbm__line *h = a->line;
    dbm__async **p = h != NULL ? &h->carriers : NULL;
    if (p == NULL) return;
    while (*p != a) p = &(*p)->next_carrier;
    *p = a->next_carrier;
    if (h->lead == a) h->lead = NULL;
    a->line = NULL;
    dbm__loop_release(h->loop);
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
    a->take = ++h->takes;
    a->took_us = dbm__now(h->by.db->host);
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

/* Each call that was late counts as one of the pool's time-outs; a carrier that was wanted for them beside others, which the pool has counted, does not (-1). */
static void dbm__share_timeouts(dbm__line *h, int by) {
    dbm__lock_take(&h->by.db->pool->lock);
    h->by.db->pool->stats.timeouts += (uint64_t)(int64_t)by;
    dbm__lock_give(&h->by.db->pool->lock);
}

/* A carrier can't be had: unless there is another one, the calls that wanted it fail as it does. */
static void dbm__carrier_failed(dbm__line *h, dbm_status st) {
    dbm_error_info kept = dbm__self()->last;
    dbm__request *r;
    if (st == DBM_E_POOL_TIMEOUT && h->carriers != NULL) dbm__share_timeouts(h, -1);
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
        dbm__loop_hold(h->loop); /* until it goes back: whoever waited for its calls may have been cancelled */
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
        dbm__share_timeouts(h, 1);
        dbm__request_done(r, dbm__pool_timed_out(h->by.db->pool, true, waited, r->site));
    }
}

/* Whoever is answered first would be given calls again and again, and on one processor its server's process would run before those that have had theirs for some
 * milliseconds. So what was taken DBM__TURN_US ago is overtaken by no more than `most` later takings; but what is not quick itself holds up nobody for longer than
 * DBM__GATHER_US. */
static bool dbm__share_overtakes(dbm__line *h, int most) {
    const dbm__async *a;
    int64_t now = 0, until_us = 0;
    for (a = h->carriers; a != NULL; a = a->next_carrier) {
        if (!a->pipes || (a->first == NULL && a->sent == NULL) || h->takes - a->take <= (uint32_t)most) continue;
        if (now == 0) now = dbm__now(h->by.db->host);
        if (now - a->took_us >= DBM__TURN_US && a->took_us + DBM__GATHER_US > until_us) until_us = a->took_us + DBM__GATHER_US;
    }
    if (until_us <= now || h->ends) return false;
    dbm__loop_unwatch(h->loop, &h->later);
    dbm__loop_watch(h->loop, &h->later, -1, 0, until_us);
    return h->looks = true;
}

DBM__FN void dbm__share_go(dbm__line *h) {
    const dbm__pool *pool = h->by.db->pool;
    dbm__async *a, *next;
    const dbm__request *r;
    int ends = (h->begins ? 1 : 0) + (h->waiting > 1 ? dbm__pool_has(pool) : 0), calls = h->waiting, most; /* and what may come to be; what waits, or is under way */
    for (a = h->carriers; a != NULL; a = a->next_carrier, ends++) {
        calls += a->sent_count;
        for (r = a->first; r != NULL; r = r->next) calls++;
    }
    most = ends > 0 ? (calls + ends - 1) / ends : 1; /* so that all carriers have about as many, and a call is not behind more of them than others are */
    if (most > DBM__SHARE_CALLS) most = DBM__SHARE_CALLS;
    if (h->waiting != 0 && dbm__share_overtakes(h, ends > 4 ? ends / 4 : 1)) return;
    for (a = h->carriers; a != NULL; a = next) {
        next = a->next_carrier;
        if (!dbm__carrier_free(a)) continue;
        if (h->waiting == 0 || dbm__async_spent(a) || (a->served >= DBM__SHARE_SERVED && dbm__pool_wanted(pool))) {
            if (a->work->rows == NULL) dbm__async_over(a); /* else one is being looked at */
        } else {
            dbm__share_take(h, a, a->pipes ? most : 1);
        }
    }
    if (h->carriers != NULL && h->waiting != 0 && dbm__pool_has(pool) == 0) { /* one of them may be free soon; else it is waited for another, in line with others */
        int64_t now = dbm__now(h->by.db->host);
        dbm__share_late(h);
        if (!h->looks) dbm__loop_watch(h->loop, &h->later, -1, 0, now + DBM__SHARE_LOOK_US);
        h->looks = true;
        if ((r = dbm__share_first(h)) == NULL || now - r->began_us < DBM__SHARE_LOOK_US) return;
    }
    if (h->waiting != 0 && !h->begins && !dbm__loop_ends(h->loop)) dbm__carrier_begin(h);
}

/* The loop ends: calls have been asked to, and carriers will be. */
DBM__FN void dbm__shares_end(dbm_loop *loop) {
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
DBM__FN dbm__async *dbm__share_front(const dbm_session *s, bool told, const char *site) {
    dbm__line *h = s->step == DBM__ON_LOOP ? (dbm__line *)s->slot : NULL;
    dbm_database *db = h != NULL ? h->by.db : (dbm_database *)s->slot;
    dbm_loop *loop = h != NULL ? h->loop : (dbm_loop *)dbm__self()->loop;
    dbm_task *task = loop != NULL && !told ? dbm__task_current(loop) : NULL;
    if (db == NULL) {
        (void)dbm__fail_null("a call on a database that is NULL; dbm_get, or dbm_async_on, gives one", site);
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
#endif /* DBM_HAS_ASYNC */
