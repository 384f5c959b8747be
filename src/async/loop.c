/* The loop: descriptors, times, jobs, and the ways to be part of another loop.
 * May call: api/, base/, net/, manager/, async.h.
 * Must not know: sessions, tasks.
 *
 * One turn: wait - descriptors that are ready - posts and jobs - times that have come - their jobs - what was kept for the end of the turn - changes of what is
 * watched are told to the system. A descriptor stays registered for reading when nobody waits for it: the next read of the same connection then costs no
 * system call. It is taken out when it becomes ready with nobody there, and writing, which is ready nearly always, at the end of the turn. */
#include "async.h"
#include "../manager/manager.h"

DBM__FN dbm_status dbm__loop_left_out(dbm_loop **out, const char *what, const char *macro) {
    if (out != NULL) *out = NULL;
    return dbm__fail(DBM_E_NOT_COMPILED, DBM_STAGE_NONE, NULL, NULL, "%s is not compiled in: define %s where DBM_IMPLEMENTATION is", what, macro);
}
#if DBM_HAS_ASYNC
#if defined(__linux__)
#  define DBM__EPOLL 1
#  include <sys/epoll.h>
#  include <sys/eventfd.h>
#else
#  define DBM__EPOLL 0
#endif
#if defined(_WIN32)
#  include <winsock2.h>
#elif DBM__POLL
#  include <errno.h>
#  include <fcntl.h>
#endif

typedef struct dbm__fd {
    dbm__watch *first;
    void *mine;                          /* the hooks' */
    int next_changed, place;             /* place: in `polled` */
    uint32_t gen;                        /* of this use of the number, for epoll */
    uint32_t serial;                     /* of the connection that was watched last */
    unsigned char told;                  /* what it is registered for */
    bool changed;                        /* listed, to be compared with what is wanted */
    bool drop;                           /* reading too is taken out unless it is wanted */
    bool anew;                           /* registered again whatever is known */
} dbm__fd;

typedef struct dbm__block { struct dbm__block *next; } dbm__block;
enum { DBM__BLOCK_STEP = 32, DBM__LOOP_ENDINGS = 4, DBM__LOOP_ROUNDS = 1000 };

struct dbm_loop {
    dbm_manager *mgr;
    dbm__host *host;
    dbm_loop_options options;
    dbm_loop_hooks hooks;
    bool hooked, turning, freed, ends, asked, forgot;
    void *outer;                         /* the loop in whose turn it has its own */
    dbm__word fork, posted, posting, sleeping, stopped;
    /* descriptors */
    dbm__fd *fds;
    int fd_count, changed;               /* changed: the first of a list; -1: none */
    int wake_read, wake_write;           /* the same for an eventfd; -1: none */
    int epoll;                           /* -1: poll() */
#if DBM__POLL
    dbm__poll_fd *polled;
    int polled_count, polled_room;
#endif
    /* times */
    dbm__watch **times;
    int time_count, time_room;
    int64_t timer_us;                    /* what the hook was told; INT64_MAX: none */
    /* what to do */
    dbm__watch *due, **last_due;
    dbm__job *jobs, **last_job, *at_end, **last_at_end;
    size_t holds;
    /* what others keep here */
    void (*endings[DBM__LOOP_ENDINGS])(dbm_loop *loop);
    struct dbm__workers *workers;
    void *acts, *tasks, *listeners;
    dbm__block *blocks[(int)DBM__LOOP_BLOCK / (int)DBM__BLOCK_STEP];
};

DBM__FN dbm_manager *dbm__loop_manager(dbm_loop *loop) { return loop->mgr; }
DBM__FN dbm__host *dbm__loop_host(dbm_loop *loop) { return loop->host; }
DBM__FN bool dbm__loop_ends(dbm_loop *loop) { return loop->ends; }
DBM__FN void **dbm__loop_of_acts(dbm_loop *loop) { return &loop->acts; }
DBM__FN void **dbm__loop_of_tasks(dbm_loop *loop) { return &loop->tasks; }
DBM__FN void **dbm__loop_of_listeners(dbm_loop *loop) { return &loop->listeners; }
DBM__FN struct dbm__workers **dbm__loop_workers(dbm_loop *loop) { return &loop->workers; }
DBM__FN bool dbm__loop_forked(dbm_loop *loop) { return loop->fork != dbm__fork_epoch(); }
DBM__FN dbm_status dbm__loop_alive(dbm_loop *loop, const char *site) {
    dbm__fork_look();
    if (dbm__loop_forked(loop)) return dbm__fail(DBM_E_FORKED, DBM_STAGE_NONE, NULL, site, "the loop is of the process that this one was forked from");
    return loop->ends ? dbm__fail(DBM_E_CLOSED, DBM_STAGE_NONE, NULL, site, "the loop is being freed") : DBM_OK;
}
DBM__FN void dbm__loop_worker_limits(dbm_loop *loop, int *threads, int *waiting) {
    *threads = !DBM__THREADS || loop->options.workers < 0 ? 0 : loop->options.workers;
    *waiting = loop->options.work_queue;
}

DBM__FN void dbm__loop_at_end(dbm_loop *loop, void (*end_all)(dbm_loop *loop)) {
    int i;
    for (i = 0; i < DBM__LOOP_ENDINGS - 1 && loop->endings[i] != NULL && loop->endings[i] != end_all; i++) { }
    DBM_ASSERT(loop->endings[i] == NULL || loop->endings[i] == end_all);
    loop->endings[i] = end_all;
}

/* ---- memory that comes back -------------------------------------------------------------------------------------------------- */

DBM__FN void *dbm__loop_take(dbm_loop *loop, size_t size) {
    size_t i = (size + DBM__BLOCK_STEP - 1) / DBM__BLOCK_STEP;
    dbm__block *block = size - 1 < (size_t)DBM__LOOP_BLOCK ? loop->blocks[i - 1] : NULL;
    if (block == NULL) return dbm__alloc(loop->host, i * DBM__BLOCK_STEP);
    loop->blocks[i - 1] = block->next;
    return block;
}

DBM__FN void dbm__loop_give(dbm_loop *loop, void *block, size_t size) {
    size_t i = (size + DBM__BLOCK_STEP - 1) / DBM__BLOCK_STEP;
    if (size > DBM__LOOP_BLOCK || size == 0 || block == NULL) {
        dbm__free(loop->host, block);
        return;
    }
    ((dbm__block *)block)->next = loop->blocks[i - 1];
    loop->blocks[i - 1] = (dbm__block *)block;
}

/* The array with room for `need` items, twice as many when it grows, the new ones zero; NULL: no memory, and it is as it was. */
static void *dbm__loop_room(dbm_loop *loop, void *array, int *room, int need, size_t size) {
    int more = *room > 0 ? *room : 64;
    if (need <= *room) return array;
    while (more < need) more *= 2;
    array = dbm__resize(loop->host, array, (size_t)more * size);
    if (array == NULL) return NULL;
    memset((char *)array + (size_t)*room * size, 0, (size_t)(more - *room) * size);
    *room = more;
    return array;
}

/* ---- asking the other loop for a turn ------------------------------------------------------------------------------------------ */

/* Something was begun outside of a turn; or, `again`, one did not finish, and descriptors come first. */
DBM__FN void dbm__loop_ask(dbm_loop *loop, bool again) {
    if (!loop->hooked || loop->turning || loop->asked) return;
    loop->asked = true;
    if (loop->hooks.soon != NULL && !again) loop->hooks.soon(loop->hooks.ud);
    else loop->hooks.timer(loop->hooks.ud, 0);
}

DBM__FN void dbm__loop_hold(dbm_loop *loop) {
    if (loop->holds++ == 0 && loop->hooked && loop->hooks.busy != NULL) loop->hooks.busy(loop->hooks.ud, true);
}
DBM__FN void dbm__loop_release(dbm_loop *loop) {
    if (--loop->holds == 0 && loop->hooked && loop->hooks.busy != NULL) loop->hooks.busy(loop->hooks.ud, false);
}

/* ---- jobs ---------------------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__loop_soon(dbm_loop *loop, dbm__job *job) {
    job->next = NULL;
    *loop->last_job = job;
    loop->last_job = &job->next;
    dbm__loop_ask(loop, false);
}

DBM__FN void dbm__loop_at_turn_end(dbm_loop *loop, dbm__job *job) {
    job->next = NULL;
    *loop->last_at_end = job;
    loop->last_at_end = &job->next;
    dbm__loop_ask(loop, false);
}

#if DBM__POLL && !defined(_WIN32)
static void dbm__wake_write(int fd) {
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) { } /* full: it is awake */
}
static void dbm__wake_drain(int fd) {
    char bytes[256];
    while (read(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes) { }
}
#elif DBM__POLL
static void dbm__wake_write(int fd) { (void)send((SOCKET)fd, "", 1, 0); }
static void dbm__wake_drain(int fd) {
    char bytes[256];
    while (recv((SOCKET)fd, bytes, (int)sizeof bytes, 0) > 0) { }
}
#else
static void dbm__wake_write(int fd) { (void)fd; }
static void dbm__wake_drain(int fd) { (void)fd; }
#endif

/* Any thread. Only a loop that sleeps, or is about to, is woken; a swap each way, so that one of the two sees the other. */
static void dbm__loop_wake(dbm_loop *loop) {
    if (!dbm__swap(&loop->sleeping, 0)) return;
    if (loop->hooks.wake != NULL) loop->hooks.wake(loop->hooks.ud);
    else if (loop->wake_write >= 0) dbm__wake_write(loop->wake_write);
}

DBM__FN void dbm__loop_post(dbm_loop *loop, dbm__job *job) {
    dbm__word newest;
    (void)dbm__add(&loop->posting, 1);
    newest = dbm__load(&loop->posted);
    do job->next = (dbm__job *)newest;
    while (!dbm__cas(&loop->posted, &newest, (dbm__word)job));
    dbm__loop_wake(loop);
    (void)dbm__add(&loop->posting, (dbm__word)-1); /* the loop may be freed now */
}

static void dbm__loop_take_posts(dbm_loop *loop) {
    dbm__job *newest, *job, *next, *oldest = NULL;
    if (dbm__load_acquire(&loop->posted) == 0) return;
    newest = (dbm__job *)dbm__swap(&loop->posted, 0);
    for (job = newest; job != NULL; job = next) {
        next = job->next;
        job->next = oldest;
        oldest = job;
    }
    *loop->last_job = oldest;
    loop->last_job = &newest->next;
}

/* Jobs, and those that they make; not for ever, so that descriptors have their turn. */
static void dbm__loop_run_jobs(dbm_loop *loop) {
    int rounds;
    for (rounds = 0; loop->jobs != NULL && rounds < DBM__LOOP_ROUNDS; rounds++) {
        dbm__job *job = loop->jobs, *next;
        loop->jobs = NULL;
        loop->last_job = &loop->jobs;
        for (; job != NULL && !dbm__loop_forked(loop); job = next) { /* one of them may have forked, and returned here in the child */
            next = job->next;
            job->run(job);
        }
    }
}

/* ---- times: a heap, the earliest first ------------------------------------------------------------------------------------------- */

static void dbm__time_put(dbm_loop *loop, int i, dbm__watch *w) {
    loop->times[i] = w;
    w->timer = i;
}

static void dbm__time_sift(dbm_loop *loop, int i, dbm__watch *w) {
    while (i > 0 && w->until_us < loop->times[(i - 1) / 2]->until_us) {
        dbm__time_put(loop, i, loop->times[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        int child = 2 * i + 1;
        if (child + 1 < loop->time_count && loop->times[child + 1]->until_us < loop->times[child]->until_us) child++;
        if (child >= loop->time_count || loop->times[child]->until_us >= w->until_us) break;
        dbm__time_put(loop, i, loop->times[child]);
        i = child;
    }
    dbm__time_put(loop, i, w);
}

static bool dbm__time_add(dbm_loop *loop, dbm__watch *w) {
    dbm__watch **times = (dbm__watch **)dbm__loop_room(loop, (void *)loop->times, &loop->time_room, loop->time_count + 1, sizeof *times);
    if (times == NULL) return false;
    loop->times = times;
    dbm__time_sift(loop, loop->time_count++, w);
    return true;
}

static void dbm__time_remove(dbm_loop *loop, dbm__watch *w) {
    int i = w->timer;
    dbm__watch *last;
    if (i < 0) return;
    w->timer = DBM__WATCH_NONE;
    last = loop->times[--loop->time_count];
    if (last != w) dbm__time_sift(loop, i, last);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------------------- */

#if defined(_WIN32)
#  define DBM__FD_PLACE(fd) ((fd) >> 2) /* handles are multiples of four */
#  define DBM__FD_OF(place) ((place) * 4)
#else
#  define DBM__FD_PLACE(fd) (fd)
#  define DBM__FD_OF(place) (place)
#endif
enum { DBM__FD_MOST = 1 << 22 };

static dbm__fd *dbm__fd_find(dbm_loop *loop, int fd) { return fd >= 0 && DBM__FD_PLACE(fd) < loop->fd_count ? &loop->fds[DBM__FD_PLACE(fd)] : NULL; }

static dbm__fd *dbm__fd_make(dbm_loop *loop, int fd) {
    int at = DBM__FD_PLACE(fd);
    dbm__fd *fds = at < DBM__FD_MOST ? (dbm__fd *)dbm__loop_room(loop, loop->fds, &loop->fd_count, at + 1, sizeof *fds) : NULL;
    if (fds == NULL) return NULL;
    loop->fds = fds;
    return &fds[at];
}

static void dbm__fd_changed(dbm_loop *loop, int fd, dbm__fd *f) {
    if (f->changed) return;
    f->changed = true;
    f->next_changed = loop->changed;
    loop->changed = DBM__FD_PLACE(fd);
}

#if DBM__EPOLL
static dbm_status dbm__epoll_tell(dbm_loop *loop, int fd, dbm__fd *f, int want) {
    struct epoll_event e;
    int how = f->told == 0 ? EPOLL_CTL_ADD : want == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, rc;
    memset(&e, 0, sizeof e);
    e.events = (want & DBM_STEP_READ ? (uint32_t)EPOLLIN : 0) | (want & DBM_STEP_WRITE ? (uint32_t)EPOLLOUT : 0);
    if (fd == loop->wake_read) e.events |= (uint32_t)EPOLLET; /* told once for each write, and never read */
    e.data.u64 = (uint64_t)f->gen << 32 | (uint32_t)fd;
    rc = epoll_ctl(loop->epoll, how, fd, &e);
    /* What is known may be of another descriptor that had this number. */
    if (rc != 0 && errno == ENOENT && how == EPOLL_CTL_MOD) rc = epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &e);
    if (rc != 0 && errno == EEXIST && how == EPOLL_CTL_ADD) rc = epoll_ctl(loop->epoll, EPOLL_CTL_MOD, fd, &e);
    if (rc == 0 || want == 0) return DBM_OK;
    return errno == ENOMEM ? DBM_E_NOMEM : errno == ENOSPC ? DBM_E_LIMIT : errno == EPERM ? DBM_E_UNSUPPORTED : DBM_E_LOST;
}
#endif

#if DBM__POLL
static dbm_status dbm__poll_tell(dbm_loop *loop, int fd, dbm__fd *f, int want) {
    if (want == 0) {
        if (f->told == 0) return DBM_OK;
        loop->polled[f->place] = loop->polled[--loop->polled_count];
        loop->fds[DBM__FD_PLACE((int)loop->polled[f->place].fd)].place = f->place;
        return DBM_OK;
    }
    if (f->told == 0) {
        dbm__poll_fd *polled = (dbm__poll_fd *)dbm__loop_room(loop, loop->polled, &loop->polled_room, loop->polled_count + 1, sizeof *polled);
        if (polled == NULL) return DBM_E_NOMEM;
        loop->polled = polled;
        f->place = loop->polled_count++;
    }
    memset(&loop->polled[f->place], 0, sizeof loop->polled[0]);
    loop->polled[f->place].fd = (dbm__poll_number)fd;
    loop->polled[f->place].events = (short)((want & DBM_STEP_READ ? DBM__POLL_IN : 0) | (want & DBM_STEP_WRITE ? DBM__POLL_OUT : 0));
    return DBM_OK;
}
#endif

/* Registers fd for `want`, 0: not at all. */
static dbm_status dbm__fd_tell(dbm_loop *loop, int fd, dbm__fd *f, int want) {
    dbm_status st = DBM_E_UNSUPPORTED;
    if (loop->hooked) {
        if (f->told != 0 && f->anew && want != 0) {
            (void)loop->hooks.watch(loop->hooks.ud, fd, 0, &f->mine);
            f->mine = NULL;
        }
        st = loop->hooks.watch(loop->hooks.ud, fd, want, &f->mine);
        if (want == 0) f->mine = NULL;
    } else {
#if DBM__EPOLL
        if (loop->epoll >= 0) st = dbm__epoll_tell(loop, fd, f, want);
        else
#endif
#if DBM__POLL
        st = dbm__poll_tell(loop, fd, f, want);
#endif
    }
    f->told = st == DBM_OK ? (unsigned char)want : 0;
    return st;
}

static void dbm__watch_due(dbm_loop *loop, dbm__watch *w, dbm_status st) {
    dbm__time_remove(loop, w);
    w->timer = DBM__WATCH_DUE;
    w->status = (short)st;
    w->next = NULL;
    *loop->last_due = w;
    loop->last_due = &w->next;
}

/* All that wait for fd for one of `what`. */
static bool dbm__fd_due(dbm_loop *loop, dbm__fd *f, int what, dbm_status st) {
    dbm__watch **p = &f->first, *w;
    bool any = false;
    while ((w = *p) != NULL) {
        if (w->want & what) {
            *p = w->next;
            dbm__watch_due(loop, w, st);
            any = true;
        } else {
            p = &w->next;
        }
    }
    return any;
}

/* Not for ever: what can't be watched, without memory, is due again at once. */
static void dbm__loop_tell_due(dbm_loop *loop) {
    dbm__watch *w;
    int most;
    for (most = 0; (w = loop->due) != NULL && most < DBM__LOOP_ROUNDS && !dbm__loop_forked(loop); most++) {
        loop->due = w->next;
        if (loop->due == NULL) loop->last_due = &loop->due;
        w->timer = DBM__WATCH_NONE;
        w->fd = -1;
        w->heard(w, (dbm_status)w->status);
    }
}

DBM__FN void dbm__watch_init(dbm__watch *w, void (*heard)(dbm__watch *w, dbm_status heard)) {
    memset(w, 0, sizeof *w);
    w->heard = heard;
    w->fd = -1;
    w->timer = DBM__WATCH_NONE;
}

DBM__FN void dbm__loop_watch(dbm_loop *loop, dbm__watch *w, int fd, int want, int64_t until_us) {
    dbm__fd *f = NULL;
    w->want = (short)(want & DBM_STEP_BOTH);
    w->fd = w->want != 0 ? fd : -1;
    w->until_us = until_us;
    w->timer = DBM__WATCH_NONE;
    if (w->fd >= 0 && (f = dbm__fd_make(loop, fd)) == NULL) dbm__watch_due(loop, w, DBM__FD_PLACE(fd) >= DBM__FD_MOST ? DBM_E_LIMIT : DBM_E_NOMEM);
    else if (until_us != INT64_MAX && !dbm__time_add(loop, w)) dbm__watch_due(loop, w, DBM_E_NOMEM);
    if (w->timer != DBM__WATCH_DUE && f != NULL) {
        w->next = f->first;
        f->first = w;
        if ((want & DBM__WATCH_NEW) || f->serial != w->serial) f->anew = true;
        f->serial = w->serial;
        if ((w->want & ~f->told) || f->anew) dbm__fd_changed(loop, fd, f);
    } else if (w->want == 0 && (f = dbm__fd_find(loop, fd)) != NULL && f->told != 0) {
        f->drop = true;
        dbm__fd_changed(loop, fd, f);
    }
    dbm__loop_ask(loop, false);
}

DBM__FN void dbm__loop_unwatch(dbm_loop *loop, dbm__watch *w) {
    dbm__fd *f = dbm__fd_find(loop, w->fd);
    bool due = w->timer == DBM__WATCH_DUE;
    dbm__watch **p = due ? &loop->due : f != NULL ? &f->first : NULL;
    dbm__time_remove(loop, w);
    while (p != NULL && *p != NULL && *p != w) p = &(*p)->next;
    if (p != NULL && *p != NULL) *p = w->next;
    if (loop->last_due == &w->next) loop->last_due = p;
    if (!due && f != NULL && (loop->hooked || (f->told & DBM_STEP_WRITE))) dbm__fd_changed(loop, w->fd, f);
    w->timer = DBM__WATCH_NONE;
    w->fd = -1;
}

DBM__FN void dbm__loop_forget(dbm_loop *loop, int fd) {
    dbm__fd *f = dbm__fd_find(loop, fd);
    if (f == NULL) return;
    if (f->told != 0 && !dbm__loop_forked(loop)) (void)dbm__fd_tell(loop, fd, f, 0);
    f->told = 0;
    f->gen++;
    loop->forgot = true;
}

/* What is registered becomes what is wanted. */
static void dbm__loop_tell_changes(dbm_loop *loop) {
    while (loop->changed >= 0) {
        int fd = DBM__FD_OF(loop->changed), want = 0;
        dbm__fd *f = &loop->fds[loop->changed];
        const dbm__watch *w;
        dbm_status st;
        loop->changed = f->next_changed;
        f->changed = false;
        for (w = f->first; w != NULL; w = w->next) want |= w->want;
        if (fd == loop->wake_read) want = DBM_STEP_READ;
        if (!f->drop && !loop->hooked) want |= f->told & DBM_STEP_READ; /* others' loops may stumble over a descriptor that was closed meanwhile */
        if (f->anew) f->gen++;
        st = want != f->told || (f->anew && want != 0) ? dbm__fd_tell(loop, fd, f, want) : DBM_OK;
        f->drop = f->anew = false;
        if (st != DBM_OK) (void)dbm__fd_due(loop, f, DBM_STEP_BOTH, st);
    }
}

static void dbm__loop_fd_ready(dbm_loop *loop, int fd, int what, bool broken) {
    dbm__fd *f = dbm__fd_find(loop, fd);
    if (f == NULL) return;
    if (fd == loop->wake_read) {
        if (loop->epoll < 0 || loop->hooked) dbm__wake_drain(fd);
        return;
    }
    if (!dbm__fd_due(loop, f, what, DBM_OK)) f->drop = true;
    if (broken) f->drop = f->anew = true; /* what comes after it may be another descriptor */
    if (f->drop || loop->hooked || (f->told & DBM_STEP_WRITE)) dbm__fd_changed(loop, fd, f);
    dbm__loop_tell_due(loop);
}

/* ---- the parts of a turn -------------------------------------------------------------------------------------------------------------- */

/* Posts, jobs and times. */
static void dbm__loop_work_off(dbm_loop *loop) {
    int most;
    dbm__loop_tell_due(loop);
    dbm__loop_take_posts(loop);
    dbm__loop_run_jobs(loop);
    if (loop->time_count > 0) {
        int64_t now = dbm__now(loop->host);
        for (most = loop->time_count; most > 0 && loop->time_count > 0 && loop->times[0]->until_us <= now && !dbm__loop_forked(loop); most--) {
            dbm__watch *w = loop->times[0];
            dbm__loop_unwatch(loop, w);
            w->heard(w, DBM_E_TIMEOUT);
        }
        dbm__loop_run_jobs(loop);
    }
    if (dbm__workers_here(loop)) dbm__workers_run_one(loop);
}

/* What was kept for now, then the system is told. Once more for what came of it: a connection that goes back here begins its next session, whose first call leaves. */
static void dbm__loop_end_turn(dbm_loop *loop) {
    int rounds;
    for (rounds = 0; rounds < 2 && (rounds == 0 || !loop->freed); rounds++) {
        dbm__job *job, *next;
        if (rounds != 0) {
            dbm__loop_take_posts(loop);
            dbm__loop_run_jobs(loop);
        }
        job = loop->at_end;
        loop->at_end = NULL;
        loop->last_at_end = &loop->at_end;
        for (; job != NULL && !dbm__loop_forked(loop); job = next) {
            next = job->next;
            job->run(job);
        }
        dbm__loop_run_jobs(loop);
    }
    if (!dbm__loop_forked(loop)) dbm__loop_tell_changes(loop); /* what is registered is shared with the parent */
    loop->forgot = false;
}

/* Something is to be done without waiting for anything. */
static bool dbm__loop_has_work(dbm_loop *loop) {
    return loop->jobs != NULL || loop->at_end != NULL || loop->due != NULL || loop->changed >= 0 || dbm__load_acquire(&loop->posted) != 0
           || dbm__load_acquire(&loop->stopped) != 0 || dbm__workers_here(loop);
}

static bool dbm__loop_under_way(dbm_loop *loop) {
    return loop->holds != 0 || loop->jobs != NULL || loop->at_end != NULL || loop->due != NULL || dbm__load_acquire(&loop->posted) != 0;
}

/* Milliseconds, rounded up so that the last one is not spent in a spin; -1: without limit. */
static int dbm__loop_wait_ms(dbm_loop *loop, int64_t until_us) {
    int64_t now, left;
    if (dbm__loop_has_work(loop)) return 0;
    if (loop->wake_read < 0) return 1; /* nothing could wake it */
    if (loop->time_count > 0 && loop->times[0]->until_us < until_us) until_us = loop->times[0]->until_us;
    if (until_us == INT64_MAX) return -1;
    if (until_us == INT64_MIN || (now = dbm__now(loop->host)) >= until_us) return 0;
    if (loop->host->clock != NULL) return 1; /* a clock of the program's may jump: it is looked at every millisecond */
    left = (int64_t)((uint64_t)until_us - (uint64_t)now > (uint64_t)INT64_C(3600000000) ? (uint64_t)INT64_C(3600000000) : (uint64_t)until_us - (uint64_t)now);
    return (int)((left + 999) / 1000);
}

#if DBM__EPOLL
enum { DBM__EPOLL_EVENTS = 64 };
/* A description that lives on in another process is told under a number that is not its own any more, and can't be taken out. */
static void dbm__epoll_anew(dbm_loop *loop) {
    int epoll = epoll_create1(EPOLL_CLOEXEC), i;
    if (epoll < 0) return;
    (void)close(loop->epoll);
    loop->epoll = epoll;
    for (i = 0; i < loop->fd_count && loop->fds != NULL; i++) {
        dbm__fd *f = &loop->fds[i];
        int want = f->told;
        f->told = 0;
        if (want != 0 && dbm__epoll_tell(loop, i, f, want) == DBM_OK) f->told = (unsigned char)want;
        else if (f->first != NULL) dbm__fd_changed(loop, i, f);
    }
}

static void dbm__epoll_wait(dbm_loop *loop, int ms) {
    struct epoll_event events[DBM__EPOLL_EVENTS];
    bool stale = false;
    int i, n = epoll_wait(loop->epoll, events, DBM__EPOLL_EVENTS, ms);
    dbm__store(&loop->sleeping, 0);
    for (i = 0; i < n; i++) {
        uint32_t e = events[i].events;
        int fd = (int)(uint32_t)(events[i].data.u64 & 0xFFFFFFFFu);
        const dbm__fd *f = dbm__fd_find(loop, fd);
        bool broken = (e & ((uint32_t)EPOLLERR | (uint32_t)EPOLLHUP)) != 0;
        if (f == NULL || f->gen != (uint32_t)(events[i].data.u64 >> 32)) stale = stale || !loop->forgot;
        else dbm__loop_fd_ready(loop, fd, broken ? DBM_STEP_BOTH : (e & (uint32_t)EPOLLIN ? DBM_STEP_READ : 0) | (e & (uint32_t)EPOLLOUT ? DBM_STEP_WRITE : 0), broken);
    }
    if (stale) dbm__epoll_anew(loop);
}
#endif

#if DBM__POLL
static void dbm__poll_wait(dbm_loop *loop, int ms) {
    bool again;
    int i, n = dbm__poll(loop->polled, loop->polled_count, ms, &again);
    dbm__store(&loop->sleeping, 0);
    if (n <= 0) return;
    for (i = loop->polled_count; i-- > 0;) { /* downwards: one that is forgotten is replaced by one that was told */
        int fd, e;
        bool broken;
        if (i >= loop->polled_count || (e = loop->polled[i].revents) == 0) continue;
        loop->polled[i].revents = 0;
        fd = (int)loop->polled[i].fd;
        broken = (e & ~(DBM__POLL_IN | DBM__POLL_OUT)) != 0;
        dbm__loop_fd_ready(loop, fd, broken ? DBM_STEP_BOTH : (e & DBM__POLL_IN ? DBM_STEP_READ : 0) | (e & DBM__POLL_OUT ? DBM_STEP_WRITE : 0), broken);
    }
}
#endif

static void dbm__loop_wait(dbm_loop *loop, int64_t until_us) {
    int ms = dbm__loop_wait_ms(loop, until_us);
    if (ms != 0) {
        (void)dbm__swap(&loop->sleeping, 1);
        if (dbm__loop_has_work(loop)) ms = 0;
    }
#if DBM__EPOLL
    if (loop->epoll >= 0) dbm__epoll_wait(loop, ms);
    else
#endif
#if DBM__POLL
    dbm__poll_wait(loop, ms);
#else
    dbm__sleep_us((int64_t)ms * 1000);
    dbm__store(&loop->sleeping, 0);
#endif
}

/* ---- running --------------------------------------------------------------------------------------------------------------------------- */

static void dbm__loop_end(dbm_loop *loop);

static void dbm__loop_begin_turn(dbm_loop *loop) {
    dbm__thread *self = dbm__self();
    loop->turning = true;
    loop->outer = self->loop;
    self->loop = loop;
}

static dbm_status dbm__loop_enter(dbm_loop *loop, const char *call) {
    if (loop == NULL) return dbm__fail_null("the loop to run is NULL; dbm_loop_create makes one", call);
    if (dbm__loop_forked(loop)) return dbm__fail(DBM_E_FORKED, DBM_STAGE_NONE, NULL, NULL, "%s: the loop is of the process that this one was forked from", call);
    if (loop->hooked) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "%s: this loop is part of another one, which is to be run", call);
    if (loop->turning) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "%s: the loop is running already; a callback must return to it", call);
    dbm__loop_begin_turn(loop);
    return DBM_OK;
}

/* True: the loop was freed. */
static bool dbm__loop_leave(dbm_loop *loop) {
    bool freed = loop->freed;
    loop->turning = false;
    dbm__self()->loop = loop->outer;
    if (freed) dbm__loop_end(loop);
    return freed;
}

static void dbm__loop_turn(dbm_loop *loop, int64_t until_us) {
    if (dbm__loop_forked(loop)) return;
    dbm__loop_wait(loop, until_us);
    dbm__loop_work_off(loop);
    dbm__loop_end_turn(loop);
}

static int64_t dbm__loop_until(dbm_loop *loop, int timeout_ms) {
    return timeout_ms == 0 ? INT64_MIN : timeout_ms < 0 ? INT64_MAX : dbm__deadline(loop->host, timeout_ms);
}

DBM__DEF dbm_status dbm_loop_run(dbm_loop *loop, int timeout_ms) {
    dbm_status st = dbm__loop_enter(loop, "dbm_loop_run");
    int64_t until_us;
    if (st != DBM_OK) return st;
    until_us = dbm__loop_until(loop, timeout_ms);
    dbm__loop_work_off(loop);
    dbm__loop_end_turn(loop);
    while (!loop->freed && !dbm__loop_forked(loop) && !dbm__load_acquire(&loop->stopped) && (loop->options.stay || dbm__loop_under_way(loop))) {
        dbm__loop_turn(loop, until_us);
        if (until_us != INT64_MAX && (until_us == INT64_MIN || dbm__now(loop->host) >= until_us)) {
            if (loop->options.stay || dbm__loop_under_way(loop)) st = DBM_E_TIMEOUT;
            break;
        }
    }
    dbm__store(&loop->stopped, 0);
    if (loop->freed) st = DBM_E_CLOSED;
    if (dbm__loop_forked(loop)) st = dbm__loop_alive(loop, NULL);
    (void)dbm__loop_leave(loop);
    return st;
}

DBM__DEF dbm_status dbm_loop_step(dbm_loop *loop, int timeout_ms) {
    dbm_status st = dbm__loop_enter(loop, "dbm_loop_step");
    if (st != DBM_OK) return st;
    dbm__loop_work_off(loop);
    dbm__loop_end_turn(loop);
    if (!loop->freed) dbm__loop_turn(loop, loop->options.stay || dbm__loop_under_way(loop) ? dbm__loop_until(loop, timeout_ms) : INT64_MIN);
    dbm__store(&loop->stopped, 0);
    st = loop->freed ? DBM_E_CLOSED : dbm__loop_forked(loop) ? dbm__loop_alive(loop, NULL) : loop->options.stay || dbm__loop_under_way(loop) ? DBM_OK : DBM_DONE;
    (void)dbm__loop_leave(loop);
    return st;
}

DBM__DEF void dbm_loop_stop(dbm_loop *loop) {
    if (loop == NULL || dbm__loop_forked(loop)) return;
    (void)dbm__add(&loop->posting, 1);
    dbm__store_release(&loop->stopped, 1);
    dbm__loop_wake(loop);
    (void)dbm__add(&loop->posting, (dbm__word)-1);
}

typedef struct dbm__posted {
    dbm__job job;
    dbm__host *host;
    void (*fn)(void *ud);
    void *ud;
} dbm__posted;

static void dbm__posted_run(dbm__job *job) {
    dbm__posted *p = (dbm__posted *)(void *)job, post = *p;
    dbm__free(post.host, p);
    post.fn(post.ud);
}

DBM__DEF dbm_status dbm_loop_post(dbm_loop *loop, void (*fn)(void *ud), void *ud) {
    dbm__posted *p;
    if (loop == NULL) return dbm__fail_null("dbm_loop_post: the loop is NULL; dbm_loop_create makes one", NULL);
    if (fn == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_post: no function");
    if (dbm__loop_forked(loop)) return dbm__loop_alive(loop, NULL);
    p = (dbm__posted *)dbm__alloc(loop->host, sizeof *p);
    if (p == NULL) return dbm__no_memory(DBM_STAGE_NONE, NULL, NULL);
    p->job.run = dbm__posted_run;
    p->host = loop->host;
    p->fn = fn;
    p->ud = ud;
    dbm__loop_post(loop, &p->job);
    return DBM_OK;
}

/* ---- part of another loop ------------------------------------------------------------------------------------------------------------------ */

static void dbm__loop_arrange(dbm_loop *loop, bool again) {
    int64_t until, now;
    if (dbm__loop_leave(loop)) return;
    dbm__store(&loop->stopped, 0); /* there is nothing to stop */
    (void)dbm__swap(&loop->sleeping, 1);
    if (dbm__loop_has_work(loop)) dbm__loop_ask(loop, again);
    until = loop->time_count > 0 ? loop->times[0]->until_us : INT64_MAX;
    if (loop->asked || until == loop->timer_us || (until > loop->timer_us && until != INT64_MAX)) return; /* one that is early finds nothing, and is set anew then */
    loop->timer_us = until;
    now = until == INT64_MAX ? 0 : dbm__now(loop->host);
    loop->hooks.timer(loop->hooks.ud, until == INT64_MAX ? -1 : until > now ? until - now : 0);
}

DBM__DEF void dbm_loop_ready(dbm_loop *loop, int fd, int what) {
    const dbm__fd *f;
    if (loop == NULL || !loop->hooked || loop->turning || dbm__loop_forked(loop)) return;
    f = dbm__fd_find(loop, fd);
    dbm__loop_begin_turn(loop);
    dbm__store(&loop->sleeping, 0);
    dbm__loop_fd_ready(loop, fd, what & DBM_STEP_BOTH, f != NULL && (what & DBM_STEP_BOTH & ~f->told) != 0); /* more than was asked for: it broke */
    dbm__loop_work_off(loop);
    if (loop->at_end == NULL) dbm__loop_tell_changes(loop);
    dbm__loop_arrange(loop, false);
}

DBM__DEF void dbm_loop_timeout(dbm_loop *loop) {
    if (loop == NULL || !loop->hooked || loop->turning || dbm__loop_forked(loop)) return;
    dbm__loop_begin_turn(loop);
    loop->asked = false;
    loop->timer_us = INT64_MAX; /* gone off, or set anew below */
    dbm__store(&loop->sleeping, 0);
    dbm__loop_work_off(loop);
    dbm__loop_end_turn(loop);
    dbm__loop_arrange(loop, true);
}

/* ---- making and ending ----------------------------------------------------------------------------------------------------------------------- */

/* The loop's own way to wait; also for its end, when the other loop is not run any more. */
static bool dbm__loop_open(dbm_loop *loop) {
#if DBM__EPOLL
    if (!loop->options.use_poll && (loop->epoll = epoll_create1(EPOLL_CLOEXEC)) < 0) return false;
#endif
    (void)loop;
    return true;
}

static void dbm__fd_close(int fd) {
    if (fd < 0) return;
#if defined(_WIN32)
    (void)closesocket((SOCKET)fd);
#elif DBM__POLL
    (void)close(fd);
#endif
}

static bool dbm__loop_open_wake(dbm_loop *loop) {
#if DBM__EPOLL
    loop->wake_read = loop->wake_write = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return loop->wake_read >= 0;
#elif defined(_WIN32)
    /* A datagram socket that is connected to itself: nobody else is heard. */
    WSADATA unused;
    struct sockaddr_in a;
    int size = (int)sizeof a;
    u_long on = 1;
    SOCKET s = WSAStartup(0x0202, &unused) == 0 ? socket(AF_INET, SOCK_DGRAM, 0) : INVALID_SOCKET;
    if (s == INVALID_SOCKET) return false;
    loop->wake_read = loop->wake_write = (int)s;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bind(s, (struct sockaddr *)&a, size) == 0 && getsockname(s, (struct sockaddr *)&a, &size) == 0 && connect(s, (struct sockaddr *)&a, size) == 0
           && ioctlsocket(s, (long)FIONBIO, &on) == 0;
#elif DBM__POLL
    int fds[2];
    if (pipe(fds) != 0) return false;
    loop->wake_read = fds[0];
    loop->wake_write = fds[1];
    return fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(fds[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0
           && fcntl(fds[1], F_SETFD, FD_CLOEXEC) == 0;
#else
    (void)loop;
    return true;
#endif
}

static void dbm__loop_destroy(dbm_loop *loop) {
    dbm__host *host = loop->host;
    dbm__shared *shared = loop->mgr->shared;
    size_t i;
    if (loop->wake_write != loop->wake_read) dbm__fd_close(loop->wake_write);
    dbm__fd_close(loop->wake_read);
    dbm__fd_close(loop->epoll);
    for (i = 0; i < sizeof loop->blocks / sizeof loop->blocks[0]; i++) {
        while (loop->blocks[i] != NULL) {
            dbm__block *block = loop->blocks[i];
            loop->blocks[i] = block->next;
            dbm__free(host, block);
        }
    }
#if DBM__POLL
    dbm__free(host, loop->polled);
#endif
    dbm__free(host, loop->acts);
    dbm__free(host, loop->tasks);
    dbm__free(host, (void *)loop->times);
    dbm__free(host, loop->fds);
    dbm__free(host, loop);
    dbm__orphan_returned(shared); /* if the manager has gone, all of it now does */
}

static dbm_status dbm__loop_bad_options(const dbm_loop_options *o) {
    if (o->workers < -1 || o->workers > 64) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_create: workers is %d; it must be 1..64, 0 for the default, -1 for none", o->workers);
    if (o->work_queue < 0 || o->work_queue > 1000000) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_create: work_queue is %d; it must be 1..1000000, or 0 for the default", o->work_queue);
    if (o->hooks != NULL && (o->hooks->watch == NULL || o->hooks->timer == NULL)) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_create: hooks without watch or timer");
    return DBM_OK;
}

DBM__DEF dbm_status dbm_loop_create(dbm_loop **out, dbm_manager *mgr, const dbm_loop_options *options) {
    dbm_loop *loop;
    dbm__fd *f;
    dbm_status st;
    if (out == NULL) return dbm__fail_null("dbm_loop_create: out is NULL", NULL);
    *out = NULL;
    if (mgr == NULL) return dbm__fail_null("dbm_loop_create: the manager is NULL; dbm_manager_create makes one", NULL);
    if (options != NULL && (st = dbm__loop_bad_options(options)) != DBM_OK) return st;
    loop = (dbm_loop *)dbm__alloc_zero(&mgr->shared->host, sizeof *loop);
    if (loop == NULL) return dbm__no_memory(DBM_STAGE_NONE, NULL, NULL);
    loop->mgr = mgr;
    loop->host = &mgr->shared->host;
    (void)dbm__add(&mgr->shared->orphans, 1);
    if (options != NULL) loop->options = *options;
    if (loop->options.workers == 0) loop->options.workers = 4;
    if (loop->options.work_queue == 0) loop->options.work_queue = 10000;
    loop->fork = dbm__fork_epoch();
    loop->changed = loop->epoll = loop->wake_read = loop->wake_write = -1;
    loop->last_due = &loop->due;
    loop->last_job = &loop->jobs;
    loop->last_at_end = &loop->at_end;
    loop->timer_us = INT64_MAX;
    if (loop->options.hooks != NULL) {
        loop->hooked = true;
        loop->hooks = *loop->options.hooks;
        loop->options.hooks = NULL;
        loop->sleeping = 1;
    }
    if ((!loop->hooked && !dbm__loop_open(loop)) || (loop->hooks.wake == NULL && !dbm__loop_open_wake(loop))) {
        dbm__loop_destroy(loop);
        return dbm__fail(DBM_E_LIMIT, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_create: no descriptor could be had");
    }
    if (loop->wake_read >= 0) {
        f = dbm__fd_make(loop, loop->wake_read);
        st = f == NULL ? DBM_E_NOMEM : dbm__fd_tell(loop, loop->wake_read, f, DBM_STEP_READ);
        if (st != DBM_OK) {
            dbm__loop_destroy(loop);
            return dbm__fail(st, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_create: the loop can't be woken");
        }
    }
    *out = loop;
    return DBM_OK;
}

/* The other loop lets go of all; what is under way goes on in the loop's own way. */
static void dbm__loop_unhook(dbm_loop *loop) {
    int i;
    (void)dbm__swap(&loop->sleeping, 0); /* from now on nobody looks at the hooks */
    while (dbm__load_acquire(&loop->posting) != 0) dbm__yield();
    if (loop->hooks.wake != NULL && dbm__loop_open_wake(loop)) (void)dbm__fd_make(loop, loop->wake_read);
    for (i = 0; i < loop->fd_count; i++) {
        dbm__fd *f = &loop->fds[i];
        if (f->told != 0) (void)dbm__fd_tell(loop, DBM__FD_OF(i), f, 0);
        if (f->first != NULL || DBM__FD_OF(i) == loop->wake_read) dbm__fd_changed(loop, DBM__FD_OF(i), f);
    }
    loop->hooks.timer(loop->hooks.ud, -1);
    if (loop->holds != 0 && loop->hooks.busy != NULL) loop->hooks.busy(loop->hooks.ud, false);
    if (loop->hooks.end != NULL) loop->hooks.end(loop->hooks.ud);
    loop->hooked = false;
    loop->hooks.wake = NULL;
    (void)dbm__loop_open(loop); /* without a descriptor: poll() */
}

static void dbm__loop_end(dbm_loop *loop) {
    int64_t until_us;
    int i;
    loop->ends = loop->turning = true;
    if (loop->hooked && !dbm__loop_forked(loop)) dbm__loop_unhook(loop);
    until_us = dbm__now(loop->host) + loop->mgr->shared->grace_us;
    for (i = 0; i < DBM__LOOP_ENDINGS && loop->endings[i] != NULL; i++) loop->endings[i](loop);
    if (!dbm__loop_forked(loop)) {
        dbm__loop_work_off(loop);
        dbm__loop_end_turn(loop);
        while (dbm__loop_under_way(loop) || dbm__load_acquire(&loop->posting) != 0) { /* a poster is not through: its last words */
            if (dbm__now(loop->host) >= until_us) {
                /* The grace period is over: whoever still waits is told to give up, whatever its limits are. */
                for (i = 0; i < loop->fd_count; i++) (void)dbm__fd_due(loop, &loop->fds[i], DBM_STEP_BOTH, DBM_E_CLOSED);
                while (loop->time_count > 0) dbm__watch_due(loop, loop->times[0], DBM_E_CLOSED);
                until_us = dbm__deadline(loop->host, 10);
            }
            dbm__store(&loop->stopped, 0);
            dbm__loop_turn(loop, dbm__loop_under_way(loop) ? until_us : INT64_MIN);
        }
        for (i = 0; i < DBM__LOOP_ENDINGS && loop->endings[i] != NULL; i++) loop->endings[i](loop);
        dbm__loop_take_posts(loop); /* a poster's that was slower than all this */
        dbm__loop_run_jobs(loop);
    }
    dbm__workers_end(loop);
    dbm__loop_destroy(loop);
}

DBM__DEF void dbm_loop_free(dbm_loop *loop) {
    if (loop == NULL || loop->freed) return;
    loop->freed = true;
    if (!loop->turning) dbm__loop_end(loop);
}

DBM__FN dbm__host *dbm__host_of(dbm_manager *mgr) { return &mgr->shared->host; }
DBM__FN dbm_status dbm__loop_bind(dbm_loop **out, dbm_loop **own, dbm_manager *mgr, const dbm_loop_options *options, const dbm_loop_hooks *hooks) {
    dbm_loop_options o;
    dbm_status st;
    *out = NULL;
    memset(&o, 0, sizeof o);
    if (options != NULL) o = *options;
    if (o.hooks != NULL) {
        st = dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "a loop that is bound to another library's has hooks already");
    } else {
        o.hooks = hooks;
        st = dbm_loop_create(out, mgr, &o);
    }
    if (st == DBM_OK) *own = *out;
    else hooks->end(hooks->ud);
    return st;
}

#else /* !DBM_HAS_ASYNC */
#define DBM__NO_ASYNC(out) dbm__loop_left_out(out, "the asynchronous half", "DBM_WITH_ASYNC")
DBM__DEF dbm_status dbm_loop_create(dbm_loop **out, dbm_manager *mgr, const dbm_loop_options *options) { (void)mgr; (void)options; return DBM__NO_ASYNC(out); }
DBM__DEF dbm_status dbm_loop_run(dbm_loop *loop, int timeout_ms) { (void)loop; (void)timeout_ms; return DBM__NO_ASYNC(NULL); }
DBM__DEF dbm_status dbm_loop_step(dbm_loop *loop, int timeout_ms) { (void)loop; (void)timeout_ms; return DBM__NO_ASYNC(NULL); }
DBM__DEF dbm_status dbm_loop_post(dbm_loop *loop, void (*fn)(void *ud), void *ud) { (void)loop; (void)fn; (void)ud; return DBM__NO_ASYNC(NULL); }
DBM__DEF void dbm_loop_stop(dbm_loop *loop) { (void)loop; }
DBM__DEF void dbm_loop_ready(dbm_loop *loop, int fd, int what) { (void)loop; (void)fd; (void)what; }
DBM__DEF void dbm_loop_timeout(dbm_loop *loop) { (void)loop; }
DBM__DEF void dbm_loop_free(dbm_loop *loop) { (void)loop; }
#endif /* DBM_HAS_ASYNC */

