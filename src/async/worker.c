/* Worker threads for what blocks: a bounded queue, in order.
 * May call: api/, base/, async.h.
 * Must not know: what is run. */
#include "async.h"
#if DBM_HAS_ASYNC
#if DBM__THREADS && !defined(_WIN32)
#  include <signal.h>
#endif

enum { DBM__WORKERS_MOST = 64 };
typedef struct dbm__workers {
    dbm__lock lock;                      /* guards all of it */
    dbm__signal signal;
    dbm__worked *first, *last;
    int waiting, most_waiting;
    int idle, threads, blocked, most;    /* blocked: they wait at a gate; most 0: the loop's thread runs them */
    bool stop;
    dbm__word serve;                     /* number of the loop's thread */
#if DBM__THREADS && defined(_WIN32)
    HANDLE thread[DBM__WORKERS_MOST];
#elif DBM__THREADS
    pthread_t thread[DBM__WORKERS_MOST];
#endif
} dbm__workers;

/* On the loop. */
static void dbm__worked_told(dbm__job *job) {
    dbm__worked *work = (dbm__worked *)(void *)job;
    dbm__loop_release(work->loop);
    work->done(work);
}

/* Takes one that may run, runs it, and hands it back. With the lock held, which is given meanwhile. */
static void dbm__worker_turn(dbm__workers *ws) {
    dbm__worked *work = ws->first;
    dbm_loop *loop = work->loop;
    ws->first = work->next;
    ws->waiting--;
    dbm__self()->served = ws->serve;
    dbm__lock_give(&ws->lock);
    work->run(work);
    dbm__lock_take(&ws->lock);
    work->job.run = dbm__worked_told;
    dbm__loop_post(loop, &work->job); /* from here on it is not there for sure */
}

#if DBM__THREADS
static bool dbm__worker_start(dbm__workers *ws);
/* A worker waits for its turn to write: whoever has it may need a worker, and others need not wait with it. */
static void dbm__worker_waits(void *ud, bool waits) {
    dbm__workers *ws = (dbm__workers *)ud;
    dbm__lock_take(&ws->lock);
    ws->blocked += waits ? 1 : -1;
    if (waits && ws->waiting > ws->idle && ws->threads < ws->most + ws->blocked && ws->threads < DBM__WORKERS_MOST) (void)dbm__worker_start(ws);
    dbm__lock_give(&ws->lock);
}
static void dbm__worker_main(dbm__workers *ws) {
    dbm__self()->waits = dbm__worker_waits;
    dbm__self()->waits_ud = ws;
    dbm__lock_take(&ws->lock);
    for (;;) {
        if (ws->first != NULL) {
            dbm__worker_turn(ws);
            continue;
        }
        if (ws->stop) break;
        ws->idle++;
        dbm__signal_wait(&ws->signal, &ws->lock, INT64_MAX);
        ws->idle--;
    }
    dbm__lock_give(&ws->lock);
}
#  if defined(_WIN32)
static DWORD WINAPI dbm__worker_thread(void *ud) { dbm__worker_main((dbm__workers *)ud); return 0; }
static bool dbm__worker_start(dbm__workers *ws) {
    HANDLE thread = CreateThread(NULL, 0, dbm__worker_thread, ws, 0, NULL);
    if (thread == NULL) return false;
    ws->thread[ws->threads++] = thread;
    return true;
}
static void dbm__worker_join(dbm__workers *ws, int i) {
    (void)WaitForSingleObject(ws->thread[i], INFINITE);
    (void)CloseHandle(ws->thread[i]);
}
#  else
static void *dbm__worker_thread(void *ud) { dbm__worker_main((dbm__workers *)ud); return NULL; }
/* The program's signals are for its own threads. */
static bool dbm__worker_start(dbm__workers *ws) {
    sigset_t all, before;
    bool ok;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0) return false;
    ok = pthread_create(&ws->thread[ws->threads], NULL, dbm__worker_thread, ws) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok) ws->threads++;
    return ok;
}
static void dbm__worker_join(dbm__workers *ws, int i) { (void)pthread_join(ws->thread[i], NULL); }
#  endif
#else
static bool dbm__worker_start(dbm__workers *ws) { (void)ws; return false; }
#endif

static dbm__workers *dbm__workers_of(dbm_loop *loop) {
    dbm__workers **at = dbm__loop_workers(loop), *ws = *at;
    bool locked;
    if (ws != NULL) return ws;
    ws = (dbm__workers *)dbm__alloc_zero(dbm__loop_host(loop), sizeof *ws);
    locked = ws != NULL && dbm__lock_init(&ws->lock);
    if (!locked || !dbm__signal_init(&ws->signal)) {
        if (locked) dbm__lock_free(&ws->lock);
        dbm__free(dbm__loop_host(loop), ws);
        return NULL;
    }
    dbm__loop_worker_limits(loop, &ws->most, &ws->most_waiting);
    return *at = ws;
}

DBM__FN dbm_status dbm__loop_work(dbm_loop *loop, dbm__worked *work) {
    dbm__workers *ws = dbm__workers_of(loop);
    work->loop = loop;
    work->next = NULL;
    if (ws == NULL) return dbm__no_memory(DBM_STAGE_NONE, NULL, NULL);
    dbm__lock_take(&ws->lock);
    if (ws->waiting >= ws->most_waiting && !work->must) {
        dbm__lock_give(&ws->lock);
        return dbm__fail(DBM_E_LIMIT, DBM_STAGE_NONE, NULL, NULL, "%d calls wait for a worker, as many as work_queue of dbm_loop_options allows", ws->most_waiting);
    }
    if (ws->waiting >= ws->idle && ws->threads < ws->most + ws->blocked && ws->threads < DBM__WORKERS_MOST && !dbm__worker_start(ws) && ws->threads == 0) {
        dbm__lock_give(&ws->lock);
        return dbm__fail(DBM_E_NOMEM, DBM_STAGE_NONE, NULL, NULL, "no worker thread could be started");
    }
    ws->waiting++;
    ws->serve = dbm__thread_number();
    if (ws->first != NULL && ws->last != NULL) ws->last->next = work; /* both or none */
    else ws->first = work;
    ws->last = work;
    if (ws->idle != 0) dbm__signal_one(&ws->signal);
    dbm__lock_give(&ws->lock);
    dbm__loop_hold(loop);
    if (ws->most == 0) dbm__loop_ask(loop, false);
    return DBM_OK;
}

DBM__FN bool dbm__loop_work_recall(dbm_loop *loop, dbm__worked *work) {
    dbm__workers *ws = *dbm__loop_workers(loop);
    dbm__worked **p, *before = NULL;
    bool found;
    if (ws == NULL) return false;
    dbm__lock_take(&ws->lock);
    for (p = &ws->first; *p != NULL && *p != work; p = &before->next) before = *p;
    found = *p != NULL;
    if (found) {
        *p = work->next;
        if (ws->last == work) ws->last = before;
        ws->waiting--;
    }
    dbm__lock_give(&ws->lock);
    if (found) dbm__loop_release(loop);
    return found;
}

DBM__FN bool dbm__workers_here(dbm_loop *loop) {
    const dbm__workers *ws = *dbm__loop_workers(loop);
    return ws != NULL && ws->most == 0 && ws->first != NULL;
}

DBM__FN void dbm__workers_run_one(dbm_loop *loop) {
    dbm__workers *ws = *dbm__loop_workers(loop);
    dbm__lock_take(&ws->lock);
    dbm__worker_turn(ws);
    dbm__lock_give(&ws->lock);
}

DBM__FN void dbm__workers_end(dbm_loop *loop) {
    dbm__workers **at = dbm__loop_workers(loop), *ws = *at;
    if (ws == NULL) return;
    if (!dbm__loop_forked(loop)) { /* else the threads, and their wait on the signal, are the parent's */
        dbm__lock_take(&ws->lock);
        ws->stop = true;
        dbm__signal_all(&ws->signal);
        dbm__lock_give(&ws->lock);
#if DBM__THREADS
        while (ws->threads > 0) dbm__worker_join(ws, --ws->threads);
#endif
        dbm__signal_free(&ws->signal);
        dbm__lock_free(&ws->lock);
    }
    dbm__free(dbm__loop_host(loop), ws);
    *at = NULL;
}

/* ---- failures across threads ------------------------------------------------------------------------------------------------ */

DBM__FN dbm_error_info *dbm__error_keep(dbm__host *host, dbm_status st) {
    dbm_error_info *error = st < DBM_E_NOT_FOUND ? NULL : (dbm_error_info *)dbm__alloc(host, sizeof *error);
    if (error != NULL) *error = *dbm_last_error();
    return error;
}

DBM__FN dbm_status dbm__error_kept(dbm__host *host, dbm_error_info *error, dbm_status st) {
    if (error != NULL) {
        (void)dbm__fail_again(error);
        dbm__free(host, error);
    } else if (st >= DBM_E_NOT_FOUND) {
        (void)dbm__fail(st, DBM_STAGE_NONE, NULL, NULL, NULL);
    }
    return st;
}
#endif /* DBM_HAS_ASYNC */
