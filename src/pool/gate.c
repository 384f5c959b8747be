/* Gates: one writer at a time per key, in a queue with bounded barging.
 * May call: api/, base/, pool.h.
 * Must not know: what is written.
 *
 * The word is free (0), taken (1), free with waiters (2) or taken with waiters (3). Without waiters it is one compare-and-swap to enter and
 * one to leave. With waiters, entering and leaving go through the lock; a newcomer may still take a free gate before the head of the
 * queue, until the head has been overtaken 64 times or waited 5 ms: then whoever leaves hands the gate over without freeing it.
 *
 * What costs is not the lock but waking: the one woken takes a processor from the one who writes, and finds the gate taken again. So the head
 * is not woken by a thread that has just come back as soon as it had left, and will again: the head looks by itself now and then, and if it
 * ever finds a gate that such a thread left free, everybody who leaves wakes it for a while. One who will be handed the gate next is woken
 * while the one before it still writes, and yields the processor until it is its turn, so that the gate does not wait for it to wake up. */
#include "pool.h"

enum {
    DBM__GATE_TAKEN = 1, DBM__GATE_WAITED = 2, DBM__GATE_BARGES = 64, DBM__GATE_PATIENCE_US = 5000,
    DBM__GATE_LOOK_US = 500,  /* how often the head looks by itself */
    DBM__GATE_WARY = 64,      /* how many who leave wake it after it found a free gate so */
    DBM__GATE_EARLY = 2,      /* so many barges before its turn the next one wakes up, */
    DBM__GATE_YIELDS = 100,   /* and waits for it without sleeping */
    DBM__GATE_FREE_SEEN = 8   /* unless it finds the gate free so many times running */
};

typedef struct dbm__gate_waiter {
    struct dbm__gate_waiter *next, *previous;
    dbm__signal signal;
    uint64_t barges;  /* of the gate when it came */
    int64_t since_us;
    dbm__word granted;
    bool looks;       /* it is the head and knows: it looks by itself */
    bool told;        /* woken to a free gate */
    bool next_one;    /* woken because the gate will be handed to it, */
    bool yielded;     /* has waited for that without sleeping, */
    bool yielding;    /* or does so now */
} dbm__gate_waiter;

DBM__FN dbm__gate *dbm__gate_of(dbm__shared *shared, const char *key) {
    dbm__gate *gate;
    dbm__lock_take(&shared->graph_lock);
    for (gate = shared->gates; gate != NULL && strcmp(gate->key, key) != 0; gate = gate->next) {}
    if (gate == NULL) {
        gate = (dbm__gate *)dbm__alloc_zero(&shared->host, sizeof *gate);
        if (gate != NULL) {
            gate->key = dbm__copy_text(&shared->host, key, strlen(key));
            if (gate->key == NULL || !dbm__lock_init(&gate->lock)) {
                dbm__free(&shared->host, gate->key);
                dbm__free(&shared->host, gate);
                gate = NULL;
            } else {
                gate->next = shared->gates;
                shared->gates = gate;
            }
        }
    }
    dbm__lock_give(&shared->graph_lock);
    return gate;
}

static void dbm__gate_held(dbm__gate *gate, dbm__word holder, const char *site) {
    dbm__store(&gate->site, (dbm__word)site);
    dbm__store(&gate->holder, holder);
}

/* How often the head may be overtaken from its coming to the head on: so few times that, if all in the queue are, the last is not overtaken
 * more often than anybody may be. */
static uint64_t dbm__gate_share(const dbm__gate *gate) { return (uint64_t)DBM__GATE_BARGES / (uint64_t)(gate->waiting > 1 ? gate->waiting : 1); }

static bool dbm__gate_starved(const dbm__gate *gate, int64_t now) {
    const dbm__gate_waiter *w = gate->first;
    return w != NULL && (gate->barges - gate->turn >= dbm__gate_share(gate) || gate->barges - w->barges >= DBM__GATE_BARGES ||
                         now - w->since_us >= DBM__GATE_PATIENCE_US);
}

static void dbm__gate_unlink(dbm__gate *gate, dbm__gate_waiter *w) {
    if (w->previous != NULL) w->previous->next = w->next; else gate->first = w->next;
    if (w->next != NULL) w->next->previous = w->previous; else gate->last = w->previous;
    gate->waiting--;
    if (gate->first == NULL) {
        dbm__word o = dbm__load(&gate->word);
        while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_WAITED)) {}
    }
}

#if DBM__THREADS
/* Somebody has taken the gate while others wait. If it must be handed over soon, the one who gets it wakes up now. */
static void dbm__gate_taken(dbm__gate *gate, bool barged, int64_t now) {
    dbm__word self = dbm__thread_number();
    dbm__gate_waiter *first = gate->first;
    gate->streak = barged && gate->last_in == self;
    gate->last_in = self;
    if (!barged) gate->turn = gate->barges;
    if (first == NULL || first->next_one || !(dbm__gate_starved(gate, now) || gate->barges - gate->turn + DBM__GATE_EARLY >= dbm__gate_share(gate))) return;
    first->next_one = true;
    dbm__signal_one(&first->signal);
}

/* Takes the gate before those who wait, when it is free and their head can bear it. */
static bool dbm__gate_barge(dbm__gate *gate, int64_t now) {
    dbm__word o = dbm__load(&gate->word);
    while (!(o & DBM__GATE_TAKEN) && !dbm__gate_starved(gate, now)) {
        if (!dbm__cas(&gate->word, &o, o | DBM__GATE_TAKEN)) continue;
        if (gate->first != NULL) gate->barges++;
        dbm__gate_taken(gate, true, now);
        return true;
    }
    return false;
}

/* To the end of the queue, unless the gate has become free. */
static bool dbm__gate_queue(dbm__gate *gate, dbm__gate_waiter *w, int64_t now) {
    dbm__word o = dbm__load(&gate->word);
    if (!(o & DBM__GATE_TAKEN) && !dbm__gate_starved(gate, now)) return false;
    if (!dbm__cas(&gate->word, &o, o | DBM__GATE_WAITED)) return false;
    w->barges = gate->barges;
    w->since_us = now;
    if (gate->waiting++ == 0) gate->turn = gate->barges;
    w->previous = gate->last;
    if (gate->last != NULL) gate->last->next = w; else gate->first = w;
    gate->last = w;
    return true;
}

/* Until the gate is this waiter's, `stop`, or the deadline; it is in the queue. */
static dbm_status dbm__gate_wait(dbm__host *host, dbm__gate *gate, dbm__gate_waiter *w, int64_t deadline_us, const dbm__word *stop) {
    dbm_status st = DBM_OK;
    int64_t now = w->since_us;
    int i, free_seen = 0;
    while (w->granted == 0) {
        dbm__word o = dbm__load(&gate->word);
        bool head = gate->first == w;
        if (head && !(o & DBM__GATE_TAKEN) && dbm__cas(&gate->word, &o, o | DBM__GATE_TAKEN)) {
            if (!w->told) gate->wary = DBM__GATE_WARY;
            dbm__gate_unlink(gate, w);
            w->granted = 1;
            break;
        }
        if (stop != NULL && dbm__load(stop) != 0) st = DBM_E_CANCELLED;
        else if (now >= deadline_us) st = DBM_E_TIMEOUT;
        if (st != DBM_OK) {
            dbm__gate_unlink(gate, w);
            if (gate->first != NULL && !(dbm__load(&gate->word) & DBM__GATE_TAKEN)) { /* the wake-up was ours and we leave without using it */
                gate->first->told = true;
                dbm__signal_one(&gate->first->signal);
            }
            return st;
        }
        if (w->next_one && !w->yielded) {
            w->yielded = w->yielding = true;
            dbm__lock_give(&gate->lock);
            for (i = 0; i < DBM__GATE_YIELDS && dbm__load(&w->granted) == 0 && free_seen < DBM__GATE_FREE_SEEN; i++) {
                dbm__yield();
                free_seen = dbm__load(&gate->word) & DBM__GATE_TAKEN ? 0 : free_seen + 1;
            }
            dbm__lock_take(&gate->lock);
            w->yielding = false;
        } else {
            w->told = false;
            w->looks = head;
            dbm__wait_until(host, &w->signal, &gate->lock, head && now + DBM__GATE_LOOK_US < deadline_us ? now + DBM__GATE_LOOK_US : deadline_us);
        }
        now = dbm__now(host);
    }
    dbm__gate_taken(gate, false, now);
    return st;
}
#endif

static DBM__NOINLINE dbm_status dbm__gate_refused(dbm_database *db, const dbm__gate *gate, dbm_status st, const char *site, const char *why, const char *hint) {
    const char *taken = (const char *)dbm__load(&gate->site);
    dbm__fail(st, DBM_STAGE_STATEMENT, db->name, site, "database %q: %s (taken at %s)%s", db->name, why, taken != NULL ? taken : "?", hint);
    dbm__self()->last.retryable = st != DBM_E_WOULD_DEADLOCK;
    return st;
}

DBM__FN dbm_status dbm__gate_enter(dbm_database *db, dbm__gate *gate, dbm__word holder, int64_t deadline_us, bool patient, const dbm__word *stop,
                                   const char *site) {
    dbm__word o = 0;
#if DBM__THREADS
    dbm__gate_waiter w;
    dbm__blocked blocked;
    dbm_status st;
    int64_t now;
    bool barged;
#endif
    if (dbm__cas(&gate->word, &o, DBM__GATE_TAKEN)) {
        dbm__gate_held(gate, holder, site);
        return DBM_OK;
    }
    if (!patient) {
        return dbm__gate_refused(db, gate, DBM_E_SERIALIZATION, site, "another session is writing",
                                 ", and this one has already read: waiting would block its commit; run the transaction again, or begin it with .write = 1");
    }
    if (dbm__self()->impatient) { /* whoever holds it may need this thread: async/ has it come again */
        dbm__self()->turned_away = true;
        return dbm__gate_refused(db, gate, DBM_E_TIMEOUT, site, "no turn to write in time: another session has been writing since", "");
    }
#if !DBM__THREADS
    (void)deadline_us;
    (void)stop;
    return dbm__gate_refused(db, gate, DBM_E_WOULD_DEADLOCK, site, "another session of this thread is writing", " and there are no other threads; end it first");
#else
    dbm__lock_take(&gate->lock);
    now = dbm__now(db->host);
    barged = dbm__gate_barge(gate, now);
    dbm__lock_give(&gate->lock);
    if (barged) {
        dbm__gate_held(gate, holder, site);
        return DBM_OK;
    }
    st = dbm__graph_enter(db, &blocked, NULL, gate, site);
    if (st != DBM_OK) return st;
    memset(&w, 0, sizeof w);
    if (!dbm__signal_init(&w.signal)) {
        dbm__graph_leave(db, &blocked);
        return dbm__no_memory(DBM_STAGE_STATEMENT, db->name, site);
    }
    if (dbm__self()->waits != NULL) dbm__self()->waits(dbm__self()->waits_ud, true);
    dbm__lock_take(&gate->lock);
    do barged = dbm__gate_barge(gate, now); while (!barged && !dbm__gate_queue(gate, &w, now));
    if (!barged) st = dbm__gate_wait(db->host, gate, &w, deadline_us, stop);
    dbm__lock_give(&gate->lock);
    if (dbm__self()->waits != NULL) dbm__self()->waits(dbm__self()->waits_ud, false);
    dbm__signal_free(&w.signal);
    dbm__graph_leave(db, &blocked); /* before it is the holder: one who waits for what it holds is a deadlock to whoever looks */
    if (st == DBM_OK) dbm__gate_held(gate, holder, site);
    if (st == DBM_E_CANCELLED) {
        dbm__fail(st, DBM_STAGE_STATEMENT, db->name, site, "cancelled by %s while waiting for its turn to write", DBM__CANCELLED_BY(stop));
    } else if (st != DBM_OK) {
        char why[100];
        dbm__format(why, sizeof why, "no turn to write within %m: another session has been writing since", dbm__now(db->host) - now);
        return dbm__gate_refused(db, gate, st, site, why, "");
    }
    return st;
#endif
}

DBM__FN void dbm__gate_wake(dbm__gate *gate) {
    dbm__gate_waiter *w;
    dbm__lock_take(&gate->lock);
    for (w = gate->first; w != NULL; w = w->next) dbm__signal_one(&w->signal);
    dbm__lock_give(&gate->lock);
}

DBM__FN void dbm__gate_leave(dbm_database *db, dbm__gate *gate) {
    dbm__word o = DBM__GATE_TAKEN;
    dbm__gate_waiter *w;
    dbm__store(&gate->holder, 0);
    if (dbm__cas(&gate->word, &o, 0)) return;
    dbm__lock_take(&gate->lock);
    w = gate->first;
    if (w != NULL && dbm__gate_starved(gate, dbm__now(db->host))) { /* handed over: the gate stays taken */
        dbm__gate_unlink(gate, w);
        if (!w->yielding) dbm__signal_one(&w->signal);
        dbm__store(&w->granted, 1);
    } else {
        o = dbm__load(&gate->word);
        while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_TAKEN)) {}
        if (w != NULL && (!w->looks || !gate->streak || gate->wary != 0)) {
            w->told = true;
            dbm__signal_one(&w->signal);
        }
        if (gate->wary != 0) gate->wary--;
    }
    dbm__lock_give(&gate->lock);
}
