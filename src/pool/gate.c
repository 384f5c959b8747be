/* Gates: one writer at a time per key, in a queue with bounded barging.
 * May call: api/, base/, pool.h.
 * Must not know: what is written.
 *
 * The word is free (0), taken (1), free with waiters (2) or taken with waiters (3). Without waiters it is one compare-and-swap to enter and
 * one to leave. With waiters, entering and leaving go through the lock; a newcomer may still take a free gate before the head of the
 * queue (that keeps the processor busy while the head wakes up), until the head has been overtaken 64 times or waited 5 ms:
 * then whoever leaves hands the gate over without freeing it. */
#include "pool.h"

enum { DBM__GATE_TAKEN = 1, DBM__GATE_WAITED = 2, DBM__GATE_BARGES = 64, DBM__GATE_PATIENCE_US = 5000 };

typedef struct dbm__gate_waiter {
    struct dbm__gate_waiter *next, *previous;
    dbm__signal signal;
    uint64_t barges;  /* of the gate when it came */
    int64_t since_us;
    bool granted;
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

static bool dbm__gate_starved(const dbm__gate *gate, const dbm__gate_waiter *w, int64_t now) {
    return gate->barges - w->barges >= DBM__GATE_BARGES || now - w->since_us >= DBM__GATE_PATIENCE_US;
}

static void dbm__gate_unlink(dbm__gate *gate, dbm__gate_waiter *w) {
    if (w->previous != NULL) w->previous->next = w->next; else gate->first = w->next;
    if (w->next != NULL) w->next->previous = w->previous; else gate->last = w->previous;
}

DBM__FN dbm_status dbm__gate_enter(dbm_database *db, dbm__gate *gate, dbm__word holder, int64_t deadline_us, bool patient, const dbm__word *stop,
                                   const char *site) {
    dbm__word o = 0;
#if DBM__THREADS
    dbm__gate_waiter w;
    dbm__blocked blocked;
    dbm_status st;
    int64_t now;
#endif
    if (dbm__cas(&gate->word, &o, DBM__GATE_TAKEN)) {
        dbm__gate_held(gate, holder, site);
        return DBM_OK;
    }
    if (!patient) {
        dbm__fail(DBM_E_SERIALIZATION, DBM_STAGE_STATEMENT, db->name, site,
                  "database %q: another session is writing (taken at %s), and this one has already read: waiting would block its commit; "
                  "run the transaction again, or begin it with .write = 1", db->name,
                  dbm__load(&gate->site) != 0 ? (const char *)dbm__load(&gate->site) : "?");
        dbm__self()->last.retryable = true;
        return DBM_E_SERIALIZATION;
    }
#if !DBM__THREADS
    (void)deadline_us;
    (void)stop;
    return dbm__fail(DBM_E_WOULD_DEADLOCK, DBM_STAGE_STATEMENT, db->name, site,
                     "database %q: another session of this thread is writing (taken at %s) and there are no other threads; end it first",
                     db->name, dbm__load(&gate->site) != 0 ? (const char *)dbm__load(&gate->site) : "?");
#else
    st = dbm__graph_enter(db, &blocked, NULL, gate, site);
    if (st != DBM_OK) return st;
    now = dbm__now(db->host);
    memset(&w, 0, sizeof w);
    if (!dbm__signal_init(&w.signal)) {
        dbm__graph_leave(db, &blocked);
        return dbm__no_memory(DBM_STAGE_STATEMENT, db->name, site);
    }
    dbm__lock_take(&gate->lock);
    /* Barge when it is free and the head can bear it; else queue. */
    for (;;) {
        o = dbm__load(&gate->word);
        if (!(o & DBM__GATE_TAKEN) && (gate->first == NULL || !dbm__gate_starved(gate, gate->first, now))) {
            if (dbm__cas(&gate->word, &o, o | DBM__GATE_TAKEN)) {
                if (gate->first != NULL) gate->barges++;
                w.granted = true;
                break;
            }
        } else if (dbm__cas(&gate->word, &o, o | DBM__GATE_WAITED)) {
            break;
        }
    }
    if (!w.granted) {
        w.barges = gate->barges;
        w.since_us = now;
        w.previous = gate->last;
        if (gate->last != NULL) gate->last->next = &w; else gate->first = &w;
        gate->last = &w;
        for (;;) {
            if (w.granted) break;
            o = dbm__load(&gate->word);
            if (gate->first == &w && !(o & DBM__GATE_TAKEN) && dbm__cas(&gate->word, &o, o | DBM__GATE_TAKEN)) {
                dbm__gate_unlink(gate, &w);
                w.granted = true;
                break;
            }
            if (stop != NULL && dbm__load(stop) != 0) st = DBM_E_CANCELLED;
            else if (dbm__now(db->host) >= deadline_us) st = DBM_E_TIMEOUT;
            if (st != DBM_OK) {
                dbm__gate_unlink(gate, &w);
                break;
            }
            dbm__wait_until(db->host, &w.signal, &gate->lock, deadline_us);
        }
        if (gate->first == NULL) {
            o = dbm__load(&gate->word);
            while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_WAITED)) {}
        } else if (st != DBM_OK && !(dbm__load(&gate->word) & DBM__GATE_TAKEN)) {
            dbm__signal_one(&gate->first->signal); /* the wake-up was ours and we leave without using it */
        }
    }
    dbm__lock_give(&gate->lock);
    dbm__signal_free(&w.signal);
    dbm__graph_leave(db, &blocked); /* before it is the holder: one who waits for what it holds is a deadlock to whoever looks */
    if (w.granted) dbm__gate_held(gate, holder, site);
    if (st == DBM_E_CANCELLED) {
        dbm__fail(st, DBM_STAGE_STATEMENT, db->name, site, "cancelled by dbm_cancel while waiting for its turn to write");
    } else if (st != DBM_OK) {
        dbm__fail(st, DBM_STAGE_STATEMENT, db->name, site,
                  "database %q: no turn to write within %m: another session has been writing since (taken at %s)", db->name,
                  dbm__now(db->host) - now, dbm__load(&gate->site) != 0 ? (const char *)dbm__load(&gate->site) : "?");
        dbm__self()->last.retryable = true;
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
    dbm__store(&gate->holder, 0);
    if (dbm__cas(&gate->word, &o, 0)) return;
    dbm__lock_take(&gate->lock);
    if (gate->first != NULL && dbm__gate_starved(gate, gate->first, dbm__now(db->host))) {
        dbm__gate_waiter *w = gate->first; /* handed over: the gate stays taken */
        dbm__gate_unlink(gate, w);
        w->granted = true;
        if (gate->first == NULL) {
            o = dbm__load(&gate->word);
            while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_WAITED)) {}
        }
        dbm__signal_one(&w->signal);
    } else {
        o = dbm__load(&gate->word);
        while (!dbm__cas(&gate->word, &o, o & ~(dbm__word)DBM__GATE_TAKEN)) {}
        if (gate->first != NULL) dbm__signal_one(&gate->first->signal);
    }
    dbm__lock_give(&gate->lock);
}
