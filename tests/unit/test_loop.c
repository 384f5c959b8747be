/* async/loop.c, worker.c, bind_*.c: order, times, posts, descriptors that come and go, ends; on each way to wait: epoll, poll(), hooks, libuv, libev, libevent. */
/* cc: -DDBM_WITH_LIBUV -DDBM_WITH_LIBEV -DDBM_WITH_LIBEVENT -Wl,--wrap=epoll_wait -Wl,--wrap=epoll_ctl -Wl,--wrap=poll */
#define DBM_TEST_WHOLE
#include "dbm_test.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <ev.h>
#include <event2/event.h>
#include <uv.h>

#define CHECK_STATUS(call, wanted) assert_int_equal((call), (wanted))

/* ---- what the loop asks of the system ------------------------------------------------------------------------------------------- */

static long epoll_waits, epoll_ctls, polls;
int __real_epoll_wait(int fd, struct epoll_event *events, int count, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int ms);
int __real_epoll_ctl(int fd, int how, int of, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int how, int of, struct epoll_event *event);
int __real_poll(struct pollfd *p, nfds_t count, int ms);
int __wrap_poll(struct pollfd *p, nfds_t count, int ms);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int count, int ms) {
    epoll_waits++;
    return __real_epoll_wait(fd, events, count, ms);
}
int __wrap_epoll_ctl(int fd, int how, int of, struct epoll_event *event) {
    epoll_ctls++;
    return __real_epoll_ctl(fd, how, of, event);
}
int __wrap_poll(struct pollfd *p, nfds_t count, int ms) {
    polls++;
    return __real_poll(p, count, ms);
}

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static void nap(int64_t us) {
    struct timespec t = { (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
    while (nanosleep(&t, &t) != 0 && errno == EINTR) { }
}
static int64_t cpu_us(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

/* ---- ways to wait ----------------------------------------------------------------------------------------------------------------- */

static dbm_manager *mgr;
static dbm_loop *loop;
static test_heap heap;
enum { EPOLL, POLL, HOOKS, HOOKS_ALL, UV, EV, EVENT, WAYS };
static int way;
static uv_loop_t uv;
static struct ev_loop *ev;
static struct event_base *base;

/* A loop as a user might write one. With `all`, it has every hook. */
typedef struct own_fd { int fd, want; long number; bool used; } own_fd;
static struct own {
    own_fd fds[64];
    int64_t at_us;
    bool soon, busy, ended;
    int wake[2];
    long told;
} own;
static dbm_status own_watch(void *ud, int fd, int want, void **mine) {
    struct own *o = (struct own *)ud;
    own_fd *f = (own_fd *)*mine;
    o->told++;
    if (f == NULL) {
        for (f = o->fds; f->used; f++) { }
        f->used = true;
        f->fd = fd;
        f->number = o->told;
        *mine = f;
    }
    assert_int_equal(f->fd, fd);
    f->want = want;
    if (want == 0) f->used = false;
    return DBM_OK;
}
static void own_timer(void *ud, int64_t after_us) { ((struct own *)ud)->at_us = after_us < 0 ? INT64_MAX : now_us() + after_us; }
static void own_soon(void *ud) { ((struct own *)ud)->soon = true; }
static void own_wake(void *ud) { assert_int_equal(write(((struct own *)ud)->wake[1], "x", 1), 1); }
static void own_busy(void *ud, bool busy) {
    assert_int_not_equal(((struct own *)ud)->busy, busy);
    ((struct own *)ud)->busy = busy;
}
static void own_end(void *ud) { ((struct own *)ud)->ended = true; }

static void own_turn(int ms) {
    struct pollfd p[65];
    own_fd *of[65];
    long number[65];
    int n = 0, count = 0;
    for (int i = 0; i < 64; i++) {
        if (!own.fds[i].used) continue;
        p[n].fd = own.fds[i].fd;
        p[n].events = (short)((own.fds[i].want & DBM_STEP_READ ? POLLIN : 0) | (own.fds[i].want & DBM_STEP_WRITE ? POLLOUT : 0));
        number[n] = own.fds[i].number;
        of[n++] = &own.fds[i];
    }
    count = n;
    p[count].fd = own.wake[0];
    p[count++].events = POLLIN;
    if (own.at_us != INT64_MAX && (own.at_us - now_us()) / 1000 + 1 < ms) ms = (int)((own.at_us - now_us()) / 1000 + 1);
    if (ms < 0 || own.soon) ms = 0;
    (void)__real_poll(p, (nfds_t)count, ms);
    for (int i = 0; i < n; i++) {
        if (p[i].revents == 0 || !of[i]->used || of[i]->number != number[i]) continue;
        int what = (p[i].revents & POLLIN ? DBM_STEP_READ : 0) | (p[i].revents & POLLOUT ? DBM_STEP_WRITE : 0);
        dbm_loop_ready(loop, p[i].fd, p[i].revents & (POLLERR | POLLHUP | POLLNVAL) ? DBM_STEP_BOTH : what);
        if (own.ended) return;
    }
    if (p[n].revents != 0) {
        char byte;
        assert_int_equal(read(own.wake[0], &byte, 1), 1);
        dbm_loop_timeout(loop);
        if (own.ended) return;
    }
    if (own.soon) {
        own.soon = false;
        dbm_loop_timeout(loop);
        if (own.ended) return;
    }
    if (own.at_us <= now_us()) {
        own.at_us = INT64_MAX;
        dbm_loop_timeout(loop);
    }
}

static bool freed; /* the test has freed the loop */
static void make_with(dbm_loop_options *o) {
    dbm_loop_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    memset(&own, 0, sizeof own);
    own.at_us = INT64_MAX;
    own.wake[0] = own.wake[1] = -1;
    freed = false;
    switch (way) {
    case POLL: o->use_poll = true; break;
    case HOOKS_ALL:
        assert_int_equal(pipe(own.wake), 0);
        hooks.soon = own_soon;
        hooks.wake = own_wake;
        hooks.busy = own_busy;
        /* fallthrough */
    case HOOKS:
        hooks.end = own_end;
        hooks.ud = &own;
        hooks.watch = own_watch;
        hooks.timer = own_timer;
        o->hooks = &hooks;
        break;
    case UV: assert_int_equal(uv_loop_init(&uv), 0); CHECK_STATUS(dbm_loop_on_uv(&loop, mgr, &uv, o), DBM_OK); return;
    case EV: assert_non_null(ev = ev_loop_new(0)); CHECK_STATUS(dbm_loop_on_ev(&loop, mgr, ev, o), DBM_OK); return;
    case EVENT: assert_non_null(base = event_base_new()); CHECK_STATUS(dbm_loop_on_event(&loop, mgr, base, o), DBM_OK); return;
    default: break;
    }
    CHECK_STATUS(dbm_loop_create(&loop, mgr, o), DBM_OK);
}
static void make(void) {
    dbm_loop_options o;
    memset(&o, 0, sizeof o);
    make_with(&o);
}
static void unmake(void) {
    if (!freed) dbm_loop_free(loop);
    loop = NULL;
    if (way == UV) {
        uv_run(&uv, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&uv), 0);
    }
    if (way == EV) ev_loop_destroy(ev);
    if (way == EVENT) event_base_free(base);
    if (way == HOOKS || way == HOOKS_ALL) {
        assert_true(own.ended);
        assert_false(own.busy);
        for (int i = 0; i < 64; i++) assert_false(own.fds[i].used);
        if (own.wake[0] >= 0) { close(own.wake[0]); close(own.wake[1]); }
    }
}

static void uv_nothing(uv_timer_t *t) { (void)t; }
static void ev_nothing(struct ev_loop *l, ev_timer *t, int events) { (void)l; (void)t; (void)events; }
/* One turn, of so many milliseconds at the most. */
static void turn(int ms) {
    switch (way) {
    case HOOKS: case HOOKS_ALL: own_turn(ms); break;
    case UV: {
        uv_timer_t t;
        uv_update_time(&uv);
        uv_timer_init(&uv, &t);
        uv_timer_start(&t, uv_nothing, (uint64_t)ms, 0);
        if (ms > 0) uv_run(&uv, UV_RUN_ONCE);
        uv_close((uv_handle_t *)&t, NULL);
        uv_run(&uv, UV_RUN_NOWAIT);
        break;
    }
    case EV: {
        ev_timer t;
        ev_timer_init(&t, ev_nothing, (double)ms / 1000, 0.);
        ev_now_update(ev);
        if (ms > 0) ev_timer_start(ev, &t);
        ev_run(ev, ms > 0 ? EVRUN_ONCE : EVRUN_NOWAIT);
        ev_timer_stop(ev, &t);
        break;
    }
    case EVENT: {
        struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
        event_base_loopexit(base, &tv);
        event_base_loop(base, EVLOOP_ONCE);
        break;
    }
    default: (void)dbm_loop_step(loop, ms); break;
    }
}
static void until(const volatile int *count, int wanted) {
    int64_t end = now_us() + 20000000;
    while (!freed && *count < wanted && now_us() < end) turn(100);
    assert_true(*count >= wanted);
}
/* Some turns more, in which nothing may happen. */
static void settle(void) { for (int i = 0; i < 5 && !freed; i++) turn(i == 0 ? 20 : 0); }

static int begin(void **state) {
    (void)state;
    dbm_options o;
    memset(&o, 0, sizeof o);
    memset(&heap, 0, sizeof heap);
    o.allocator = test_heap_allocator(&heap);
    o.no_env = true;
    return dbm_manager_create(&mgr, &o) != DBM_OK;
}
static int finish(void **state) {
    (void)state;
    dbm_manager_free(mgr);
    mgr = NULL;
    return test_heap_live(&heap) != 0;
}

/* ---- jobs ---------------------------------------------------------------------------------------------------------------------------- */

static char story[4096];
static void tell(const char *text) { strncat(story, text, sizeof story - strlen(story) - 1); }
typedef struct told { dbm__job job; const char *text; struct told *then; } told;
static void told_run(dbm__job *job) {
    told *t = (told *)(void *)job;
    tell(t->text);
    if (t->then != NULL) dbm__loop_soon(loop, &t->then->job);
}
static volatile int posted;
static void post_text(void *ud) { tell((const char *)ud); posted++; }

static void test_order(void **state) {
    (void)state;
    static told a, b, c, d, e;
    make();
    story[0] = 0;
    posted = 0;
    a.job.run = b.job.run = c.job.run = d.job.run = e.job.run = told_run;
    a.text = "a"; b.text = "b"; c.text = "c"; d.text = "d"; e.text = "E";
    a.then = &c;
    c.then = &d;
    dbm__loop_at_turn_end(loop, &e.job);
    dbm__loop_soon(loop, &a.job);
    dbm__loop_soon(loop, &b.job);
    assert_string_equal(story, "");
    for (int i = 0; i < 5; i++) turn(0);
    assert_string_equal(story, "abcdE");
    CHECK_STATUS(dbm_loop_post(loop, post_text, (void *)(uintptr_t)"1"), DBM_OK);
    CHECK_STATUS(dbm_loop_post(loop, post_text, (void *)(uintptr_t)"2"), DBM_OK);
    CHECK_STATUS(dbm_loop_post(loop, post_text, (void *)(uintptr_t)"3"), DBM_OK);
    assert_string_equal(story, "abcdE");
    until(&posted, 3);
    assert_string_equal(story, "abcdE123");
    unmake();
}

/* A job that makes itself again for ever does not keep descriptors and times from their turn. */
static dbm__job forever;
static long turns_of_forever;
static bool stop_forever;
static void run_forever(dbm__job *job) { turns_of_forever++; if (!stop_forever) dbm__loop_soon(loop, job); }
static volatile int heard_count;
static dbm_status heard_status;
static void hear(dbm__watch *w, dbm_status st) { (void)w; heard_status = st; heard_count++; }

static void test_not_starved(void **state) {
    (void)state;
    dbm__watch w, t;
    int p[2];
    make();
    assert_int_equal(pipe(p), 0);
    dbm__watch_init(&w, hear);
    dbm__watch_init(&t, hear);
    heard_count = 0;
    turns_of_forever = 0;
    stop_forever = false;
    forever.run = run_forever;
    dbm__loop_soon(loop, &forever);
    dbm__loop_watch(loop, &w, p[0], DBM_STEP_READ, INT64_MAX);
    dbm__loop_watch(loop, &t, -1, 0, now_us() + 20000);
    assert_int_equal(write(p[1], "x", 1), 1);
    until(&heard_count, 2);
    assert_true(turns_of_forever > 10);
    stop_forever = true;
    settle();
    unmake();
    close(p[0]);
    close(p[1]);
}

/* ---- times ----------------------------------------------------------------------------------------------------------------------------- */

enum { TIMES = 10000 };
typedef struct timed { dbm__watch w; int64_t due; } timed;
static timed times[TIMES];
static volatile int came;
static int64_t last_due;
static bool in_order, on_time;
static void time_came(dbm__watch *w, dbm_status st) {
    timed *t = (timed *)(void *)w;
    if (st != DBM_E_TIMEOUT || t->due < last_due) in_order = false;
    if (now_us() < t->due) on_time = false;
    last_due = t->due;
    came++;
}
static void test_times(void **state) {
    (void)state;
    unsigned seed = 12345;
    int64_t start;
    make();
    for (int round = 0; round < 2; round++) {
        came = 0;
        last_due = 0;
        in_order = on_time = true;
        long calls = heap.calls;
        start = now_us();
        for (int i = 0; i < TIMES; i++) {
            seed = seed * 1103515245u + 12345u;
            dbm__watch_init(&times[i].w, time_came);
            times[i].due = start + (seed >> 8) % 100000;
            dbm__loop_watch(loop, &times[i].w, -1, 0, times[i].due);
        }
        for (int i = 0; i < TIMES; i += 2) dbm__loop_unwatch(loop, &times[i].w);
        until(&came, TIMES / 2);
        settle();
        assert_int_equal(came, TIMES / 2);
        assert_true(in_order);
        assert_true(on_time);
        if (round == 1) assert_int_equal(heap.calls, calls); /* its room is there */
    }
    unmake();
}

/* Whoever waits for a descriptor and a time hears of one of them alone. */
static void test_fd_or_time(void **state) {
    (void)state;
    dbm__watch w;
    int p[2];
    make();
    assert_int_equal(pipe(p), 0);
    dbm__watch_init(&w, hear);
    heard_count = 0;
    dbm__loop_watch(loop, &w, p[0], DBM_STEP_READ, now_us() + 20000);
    until(&heard_count, 1);
    assert_int_equal(heard_status, DBM_E_TIMEOUT);
    assert_int_equal(write(p[1], "x", 1), 1);
    settle();
    assert_int_equal(heard_count, 1);
    dbm__loop_watch(loop, &w, p[0], DBM_STEP_READ, now_us() + 30000);
    until(&heard_count, 2);
    assert_int_equal(heard_status, DBM_OK);
    nap(40000);
    settle();
    assert_int_equal(heard_count, 2);
    dbm__loop_watch(loop, &w, p[0], DBM_STEP_READ, now_us() - 1); /* ready, and late: ready */
    until(&heard_count, 3);
    dbm__loop_watch(loop, &w, p[0], DBM_STEP_READ, INT64_MAX);
    dbm__loop_unwatch(loop, &w);
    dbm__loop_unwatch(loop, &w);
    settle();
    assert_int_equal(heard_count, 3);
    unmake();
    close(p[0]);
    close(p[1]);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------------------------------ */

/* One waits for reading, one for writing, one for both; one of them unwatches another. */
static dbm__watch w_read, w_write, w_both;
static int heard_read, heard_write, heard_both;
static volatile int heard_any;
static void hear_three(dbm__watch *w, dbm_status st) {
    assert_int_equal(st, DBM_OK);
    heard_any++;
    if (w == &w_read) heard_read++;
    if (w == &w_write) { heard_write++; dbm__loop_unwatch(loop, &w_both); }
    if (w == &w_both) heard_both++;
}
static void test_many_on_one(void **state) {
    (void)state;
    int s[2];
    make();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    dbm__watch_init(&w_read, hear_three);
    dbm__watch_init(&w_write, hear_three);
    dbm__watch_init(&w_both, hear_three);
    heard_read = heard_write = heard_both = heard_any = 0;
    dbm__loop_watch(loop, &w_read, s[0], DBM_STEP_READ, INT64_MAX);
    dbm__loop_watch(loop, &w_both, s[0], DBM_STEP_BOTH, INT64_MAX);
    dbm__loop_watch(loop, &w_write, s[0], DBM_STEP_WRITE, INT64_MAX);
    until(&heard_any, 1);
    settle();
    assert_int_equal(heard_write, 1);
    assert_int_equal(heard_both, 0);
    assert_int_equal(heard_read, 0);
    dbm__loop_watch(loop, &w_both, s[0], DBM_STEP_BOTH, INT64_MAX);
    until(&heard_any, 2);
    assert_int_equal(heard_both, 1);
    assert_int_equal(write(s[1], "x", 1), 1);
    until(&heard_any, 3);
    assert_int_equal(heard_read, 1);
    /* What nobody reads makes no turn of its own. */
    dbm__loop_hold(loop);
    settle();
    long quiet = epoll_waits + polls;
    for (int64_t t = now_us(); now_us() - t < 50000;) turn(50);
    dbm__loop_release(loop);
    if (way <= POLL) assert_true(epoll_waits + polls - quiet <= 4);
    /* The end of the stream is heard, and an end that nobody waits for makes no turn of its own. */
    dbm__loop_watch(loop, &w_write, s[0], DBM_STEP_WRITE, INT64_MAX);
    until(&heard_any, 4);
    close(s[1]);
    settle();
    long before = epoll_waits + polls;
    int64_t from = now_us();
    dbm__loop_hold(loop);
    while (now_us() - from < 50000) turn(50);
    dbm__loop_release(loop);
    if (way <= POLL) assert_true(epoll_waits + polls - before <= 4);
    dbm__loop_watch(loop, &w_read, s[0], DBM_STEP_READ, INT64_MAX);
    until(&heard_any, 5);
    dbm__loop_forget(loop, s[0]);
    close(s[0]);
    settle();
    unmake();
}

/* The steady state: one read after the other, of one descriptor: the system is not told anything. */
static int steady_fd[2];
static volatile int steady;
static void hear_steady(dbm__watch *w, dbm_status st) {
    char byte;
    assert_int_equal(st, DBM_OK);
    assert_int_equal(read(steady_fd[0], &byte, 1), 1);
    if (++steady % 3 != 0) dbm__loop_watch(loop, w, steady_fd[0], DBM_STEP_READ, now_us() + 1000000);
    assert_int_equal(write(steady_fd[1], "x", 1), 1);
}
static void test_steady_state(void **state) {
    (void)state;
    dbm__watch w;
    make();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, steady_fd), 0);
    dbm__watch_init(&w, hear_steady);
    steady = 0;
    assert_int_equal(write(steady_fd[1], "x", 1), 1);
    long calls = 0, ctls = 0, waits = 0;
    for (int i = 0; i < 1000; i++) {
        if (i == 10) { calls = heap.calls; ctls = epoll_ctls; waits = epoll_waits; }
        dbm__loop_watch(loop, &w, steady_fd[0], DBM_STEP_READ, now_us() + 1000000);
        until(&steady, steady + 3);
        turn(0); /* ready, and nobody waits: what was registered is taken out */
        dbm__loop_watch(loop, &w, steady_fd[0], DBM_STEP_READ, now_us() + 1000000);
        until(&steady, steady + 3);
    }
    if (way == EPOLL) {
        assert_true(epoll_ctls - ctls <= 4 * 1000);
        assert_true(epoll_waits - waits <= 8 * 1000);
    }
    if (way != EV && way != EVENT) assert_int_equal(heap.calls, calls); /* those make a watcher for a descriptor that is watched again */
    /* Without a turn in which it was ready and nobody cared: nothing at all. */
    char byte;
    assert_int_equal(read(steady_fd[0], &byte, 1), 1);
    turn(0);
    ctls = epoll_ctls;
    for (int i = 0; i < 1000; i++) {
        dbm__loop_watch(loop, &w, steady_fd[0], DBM_STEP_READ, now_us() + 1000000);
        assert_int_equal(write(steady_fd[1], "x", 1), 1);
        steady = 2;
        until(&steady, 3);
        assert_int_equal(read(steady_fd[0], &byte, 1), 1);
        turn(0);
    }
    if (way == EPOLL) assert_true(epoll_ctls - ctls <= 1);
    unmake();
    close(steady_fd[0]);
    close(steady_fd[1]);
}

/* ---- descriptors that are closed behind the loop's back ----------------------------------------------------------------------------------- */

static void again_at(int number, int s[2]) { /* a new pair, the first of which has this number */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    if (s[0] == number) return;
    if (s[1] == number) { int t = s[0]; s[0] = s[1]; s[1] = t; return; }
    assert_int_equal(dup2(s[0], number), number);
    close(s[0]);
    s[0] = number;
}
static void test_numbers_come_again(void **state) {
    (void)state;
    dbm__watch w;
    int s[2], number;
    make();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    number = s[0];
    dbm__watch_init(&w, hear);
    heard_count = 0;
    for (uint32_t i = 0; i < 12; i++) {
        int want = DBM_STEP_READ;
        /* By a connection's number, by the flag, by being told before; and with a descriptor that lives on elsewhere. */
        if (i % 4 == 1) want |= DBM__WATCH_NEW;
        w.serial = i % 4 == 0 || i % 4 == 3 ? i + 1 : 0;
        dbm__loop_watch(loop, &w, s[0], want, INT64_MAX);
        turn(0);
        assert_int_equal(write(s[1], "x", 1), 1);
        until(&heard_count, (int)i + 1);
        assert_int_equal(heard_status, DBM_OK);
        int kept = -1;
        if (i % 4 == 1) dbm__loop_forget(loop, s[0]);
        if (i % 4 == 2 && way <= POLL) kept = dup(s[0]);
        close(s[0]);
        turn(0);
        int other = s[1];
        again_at(number, s);
        if (kept >= 0) {
            /* It is readable for ever, under a number that is not its own any more: the loop must not spin. */
            w.serial = 1000 + i;
            dbm__loop_watch(loop, &w, s[0], DBM_STEP_READ, INT64_MAX);
            int64_t from = now_us(), cpu = cpu_us();
            long waits = epoll_waits + polls;
            dbm__loop_hold(loop);
            while (now_us() - from < 100000) turn(100);
            dbm__loop_release(loop);
            assert_true(epoll_waits + polls - waits < 10);
            assert_true(cpu_us() - cpu < 60000);
            assert_int_equal(heard_count, (int)i + 1);
            dbm__loop_unwatch(loop, &w);
            close(kept);
        }
        close(other);
        if (i % 4 == 2) w.serial = 2000 + i;
    }
    /* By the flag alone: all else is as it was. */
    for (int i = 0; i < 2; i++) {
        int other = s[1];
        heard_count = 0;
        w.serial = 7;
        dbm__loop_watch(loop, &w, s[0], DBM_STEP_READ | DBM__WATCH_NEW, INT64_MAX);
        turn(0);
        assert_int_equal(write(s[1], "x", 1), 1);
        until(&heard_count, 1);
        close(s[0]);
        again_at(number, s);
        close(other);
    }
    close(s[0]);
    close(s[1]);
    /* One that is closed while it is waited for, and one that never was any. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    if (way <= POLL) {
        close(s[1]);
        close(s[0]);
        w.serial = 0;
        heard_count = 0;
        dbm__loop_watch(loop, &w, s[0], DBM_STEP_READ, now_us() + 2000000);
        until(&heard_count, 1);
        assert_int_not_equal(heard_status, DBM_E_TIMEOUT);
    } else {
        close(s[0]);
        close(s[1]);
    }
    unmake();
}

/* Several ready at once; the first that hears closes all others, and new ones take their numbers. */
enum { CROWD = 20 };
static struct crowd { dbm__watch w; int s[2]; bool gone; } crowd[CROWD];
static volatile int crowd_heard;
static bool crowd_closed;
static void hear_crowd(dbm__watch *w, dbm_status st) {
    struct crowd *c = (struct crowd *)(void *)w;
    assert_int_equal(st, DBM_OK);
    assert_false(c->gone);
    crowd_heard++;
    if (crowd_closed) return;
    crowd_closed = true;
    for (int i = 0; i < CROWD; i++) {
        if (&crowd[i] == c) continue;
        dbm__loop_unwatch(loop, &crowd[i].w);
        dbm__loop_forget(loop, crowd[i].s[0]);
        close(crowd[i].s[0]);
        close(crowd[i].s[1]);
        crowd[i].gone = true;
    }
    for (int i = 0; i < CROWD; i++) { /* the same numbers, and nothing to read */
        if (!crowd[i].gone) continue;
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, crowd[i].s), 0);
        dbm__watch_init(&crowd[i].w, hear_crowd);
        dbm__loop_watch(loop, &crowd[i].w, crowd[i].s[0], DBM_STEP_READ, INT64_MAX);
    }
}
static void test_close_others(void **state) {
    (void)state;
    if (way == EVENT) return; /* libevent itself must be told before a descriptor is closed */
    make();
    memset(crowd, 0, sizeof crowd);
    crowd_heard = 0;
    crowd_closed = false;
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, crowd[i].s), 0);
        dbm__watch_init(&crowd[i].w, hear_crowd);
        dbm__loop_watch(loop, &crowd[i].w, crowd[i].s[0], DBM_STEP_READ, INT64_MAX);
        assert_int_equal(write(crowd[i].s[1], "x", 1), 1);
    }
    until(&crowd_heard, 1);
    settle();
    assert_int_equal(crowd_heard, 1);
    for (int i = 0; i < CROWD; i++) {
        if (!crowd[i].gone) continue;
        crowd[i].gone = false;
        assert_int_equal(write(crowd[i].s[1], "x", 1), 1);
    }
    until(&crowd_heard, CROWD);
    settle();
    assert_int_equal(crowd_heard, CROWD);
    for (int i = 0; i < CROWD; i++) dbm__loop_forget(loop, crowd[i].s[0]);
    unmake();
    for (int i = 0; i < CROWD; i++) { close(crowd[i].s[0]); close(crowd[i].s[1]); }
}

/* ---- posts --------------------------------------------------------------------------------------------------------------------------------- */

enum { POSTERS = 8, POSTS = 2000 };
static int next_of[POSTERS];
static bool posts_in_order;
typedef struct post { int who, number; } post;
static post post_data[POSTERS][POSTS];
static void post_came(void *ud) {
    const post *p = (const post *)ud;
    if (next_of[p->who]++ != p->number) posts_in_order = false;
    posted++;
}
static void *poster(void *ud) {
    int who = (int)(intptr_t)ud;
    for (int i = 0; i < POSTS; i++) {
        post_data[who][i].who = who;
        post_data[who][i].number = i;
        if (dbm_loop_post(loop, post_came, &post_data[who][i]) != DBM_OK) abort();
        if (i % 64 == 0) nap(100);
    }
    return NULL;
}
static void test_posts(void **state) {
    (void)state;
    pthread_t threads[POSTERS];
    make();
    posted = 0;
    posts_in_order = true;
    memset(next_of, 0, sizeof next_of);
    for (intptr_t i = 0; i < POSTERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, poster, (void *)i), 0);
    until(&posted, POSTERS * POSTS);
    for (int i = 0; i < POSTERS; i++) pthread_join(threads[i], NULL);
    settle();
    assert_int_equal(posted, POSTERS * POSTS);
    assert_true(posts_in_order);
    unmake();
}

/* The loop sleeps without a limit, and a post wakes it; the poster's post is its last word, so the loop is freed at once. */
static void *late_poster(void *ud) {
    nap(30000);
    if (dbm_loop_post(loop, post_text, ud) != DBM_OK) abort();
    return NULL;
}
static void test_post_wakes(void **state) {
    (void)state;
    for (int i = 0; i < 10; i++) {
        pthread_t t;
        make();
        posted = 0;
        story[0] = 0;
        dbm__loop_hold(loop);
        assert_int_equal(pthread_create(&t, NULL, late_poster, (void *)(uintptr_t)"x"), 0);
        until(&posted, 1);
        dbm__loop_release(loop);
        unmake();
        pthread_join(t, NULL);
    }
}

/* Posts that nobody ran are run by the end. */
static void test_posts_at_end(void **state) {
    (void)state;
    make();
    posted = 0;
    story[0] = 0;
    for (int i = 0; i < 3; i++) CHECK_STATUS(dbm_loop_post(loop, post_text, (void *)(uintptr_t)"p"), DBM_OK);
    unmake();
    assert_string_equal(story, "ppp");
}

/* ---- running --------------------------------------------------------------------------------------------------------------------------------- */

static void *stopper(void *ud) {
    (void)ud;
    nap(50000);
    dbm_loop_stop(loop);
    return NULL;
}
static dbm_status status_inside;
static void run_inside(void *ud) {
    (void)ud;
    status_inside = dbm_loop_run(loop, -1);
    posted++;
}
static void release_job(dbm__watch *w, dbm_status st) { (void)w; heard_status = st; heard_count++; dbm__loop_release(loop); }

static void test_run(void **state) {
    (void)state;
    pthread_t t;
    dbm__watch w;
    int64_t from;
    make();
    if (way > POLL) { /* that of the other loop is run */
        CHECK_STATUS(dbm_loop_run(loop, 0), DBM_E_MISUSE);
        CHECK_STATUS(dbm_loop_step(loop, 0), DBM_E_MISUSE);
        unmake();
        return;
    }
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK); /* nothing is under way */
    CHECK_STATUS(dbm_loop_step(loop, -1), DBM_DONE);
    dbm__loop_hold(loop);
    from = now_us();
    CHECK_STATUS(dbm_loop_run(loop, 50), DBM_E_TIMEOUT);
    assert_true(now_us() - from >= 50000);
    CHECK_STATUS(dbm_loop_run(loop, 0), DBM_E_TIMEOUT);
    from = now_us();
    CHECK_STATUS(dbm_loop_step(loop, 0), DBM_OK);
    assert_true(now_us() - from < 30000);
    assert_int_equal(pthread_create(&t, NULL, stopper, NULL), 0);
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK);
    pthread_join(t, NULL);
    dbm_loop_stop(loop); /* before it runs: it returns at once, and once */
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK);
    CHECK_STATUS(dbm_loop_run(loop, 10), DBM_E_TIMEOUT);
    dbm__watch_init(&w, release_job);
    heard_count = 0;
    dbm__loop_watch(loop, &w, -1, 0, now_us() + 20000);
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK); /* until it was released */
    assert_int_equal(heard_count, 1);
    posted = 0;
    CHECK_STATUS(dbm_loop_post(loop, run_inside, NULL), DBM_OK);
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK);
    assert_int_equal(status_inside, DBM_E_MISUSE);
    unmake();
    dbm_loop_options o;
    memset(&o, 0, sizeof o);
    o.stay = true;
    make_with(&o);
    assert_int_equal(pthread_create(&t, NULL, stopper, NULL), 0);
    from = now_us();
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK); /* though nothing is under way */
    assert_true(now_us() - from >= 40000);
    pthread_join(t, NULL);
    CHECK_STATUS(dbm_loop_step(loop, 0), DBM_OK);
    unmake();
}

/* A loop that waits asks nothing of the machine. */
static void test_idle(void **state) {
    (void)state;
    dbm__watch w, far;
    int s[2];
    make();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    dbm__watch_init(&w, hear);
    dbm__watch_init(&far, hear);
    heard_count = 0;
    dbm__loop_hold(loop);
    dbm__loop_watch(loop, &w, s[0], DBM_STEP_READ, INT64_MAX);
    dbm__loop_watch(loop, &far, -1, 0, now_us() + 3600000000);
    settle();
    int64_t cpu = cpu_us(), from = now_us();
    long waits = epoll_waits + polls, ctls = epoll_ctls;
    if (way <= POLL) {
        CHECK_STATUS(dbm_loop_run(loop, 400), DBM_E_TIMEOUT);
        assert_true(epoll_waits + polls - waits <= 2);
        assert_int_equal(epoll_ctls, ctls);
    } else {
        while (now_us() - from < 400000) turn(400);
    }
    assert_true(cpu_us() - cpu < 20000);
    dbm__loop_unwatch(loop, &w);
    dbm__loop_unwatch(loop, &far);
    dbm__loop_release(loop);
    unmake();
    close(s[0]);
    close(s[1]);
}

/* The other loop ends by itself when nothing is under way, and not before. */
static void test_busy(void **state) {
    (void)state;
    dbm__watch w;
    if (way != UV && way != EV) return;
    make();
    dbm__watch_init(&w, release_job);
    for (int i = 0; i < 3; i++) {
        heard_count = 0;
        dbm__loop_hold(loop);
        dbm__loop_watch(loop, &w, -1, 0, now_us() + 30000);
        int64_t from = now_us();
        if (way == UV) assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
        else ev_run(ev, 0);
        assert_int_equal(heard_count, 1);
        assert_true(now_us() - from >= 29000 && now_us() - from < 10000000);
    }
    unmake();
}

/* ---- freeing ------------------------------------------------------------------------------------------------------------------------------------ */

static void free_it(void) {
    dbm_loop_free(loop);
    dbm_loop_free(loop); /* twice does nothing more */
    freed = true;
}
static void free_post(void *ud) { (void)ud; free_it(); posted++; }
static void free_heard(dbm__watch *w, dbm_status st) { (void)w; (void)st; free_it(); posted++; }
static void free_job(dbm__job *job) { (void)job; free_it(); posted++; }
static void test_free_inside(void **state) {
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        static dbm__job job;
        dbm__watch w, other;
        int p[2];
        make();
        assert_int_equal(pipe(p), 0);
        assert_int_equal(write(p[1], "x", 1), 1);
        posted = 0;
        dbm__watch_init(&w, free_heard);
        dbm__watch_init(&other, hear);
        job.run = free_job;
        if (kind == 0) CHECK_STATUS(dbm_loop_post(loop, free_post, NULL), DBM_OK);
        if (kind == 1) dbm__loop_watch(loop, &w, p[0], DBM_STEP_READ, INT64_MAX);
        if (kind == 2) dbm__loop_watch(loop, &w, -1, 0, now_us() + 1000);
        if (kind == 3) dbm__loop_soon(loop, &job);
        if (kind == 4) dbm__loop_at_turn_end(loop, &job);
        if (way <= POLL) {
            dbm__loop_hold(loop);
            dbm__loop_release(loop);
            dbm_status st = DBM_OK;
            for (int64_t end = now_us() + 5000000; st != DBM_E_CLOSED && now_us() < end;) st = kind < 3 ? dbm_loop_step(loop, 10) : dbm_loop_run(loop, 10);
            CHECK_STATUS(st, DBM_E_CLOSED);
        } else {
            until(&posted, 1);
        }
        assert_int_equal(posted, 1);
        unmake();
        close(p[0]);
        close(p[1]);
    }
}

/* ---- workers -------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct work { dbm__worked w; int number; int64_t us; dbm_status st; dbm_error_info *error; volatile int *gate; } work;
static volatile int works_done, runs_at_once, most_at_once, works_run;
static int run_order[1000], done_order[1000];
static pthread_t loop_thread;
static bool on_loop;
static void work_run(dbm__worked *w) {
    work *k = (work *)(void *)w;
    int now = __atomic_add_fetch(&runs_at_once, 1, __ATOMIC_SEQ_CST), most = __atomic_load_n(&most_at_once, __ATOMIC_SEQ_CST);
    while (now > most && !__atomic_compare_exchange_n(&most_at_once, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) { }
    if (pthread_equal(pthread_self(), loop_thread)) __atomic_store_n(&on_loop, true, __ATOMIC_SEQ_CST);
    while (k->gate != NULL && !__atomic_load_n(k->gate, __ATOMIC_SEQ_CST)) nap(1000);
    if (k->us != 0) nap(k->us);
    run_order[__atomic_fetch_add(&works_run, 1, __ATOMIC_SEQ_CST)] = k->number;
    if (k->st != DBM_OK) {
        (void)dbm__fail(k->st, DBM_STAGE_STATEMENT, "there", "a.c:1", "of the worker, %d", k->number);
        k->error = dbm__error_keep(dbm__loop_host(loop), k->st);
    }
    __atomic_sub_fetch(&runs_at_once, 1, __ATOMIC_SEQ_CST);
}
static void work_done(dbm__worked *w) {
    work *k = (work *)(void *)w;
    assert_true(pthread_equal(pthread_self(), loop_thread));
    done_order[works_done++] = k->number;
    if (k->st != DBM_OK) {
        char text[40];
        (void)dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "another");
        CHECK_STATUS(dbm__error_kept(dbm__loop_host(loop), k->error, k->st), k->st);
        assert_int_equal(dbm_last_error()->status, k->st);
        snprintf(text, sizeof text, "of the worker, %d", k->number);
        assert_string_equal(dbm_last_error()->message, text);
        assert_string_equal(dbm_last_error()->database, "there");
    }
}
static int threads_now(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) if (e->d_name[0] != '.') n++;
    closedir(d);
    return n;
}
static work works[1000];
static void works_reset(void) {
    memset(works, 0, sizeof works);
    for (int i = 0; i < 1000; i++) { works[i].number = i; works[i].w.run = work_run; works[i].w.done = work_done; }
    works_done = runs_at_once = most_at_once = works_run = 0;
    on_loop = false;
    loop_thread = pthread_self();
}

static void test_workers(void **state) {
    (void)state;
    int before = threads_now();
    works_reset();
    make();
    assert_int_equal(threads_now(), before); /* none before it is needed */
    /* One after the other: one thread is enough. */
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(dbm__loop_work(loop, &works[i].w), DBM_OK);
        until(&works_done, i + 1);
        nap(2000); /* so that it is idle again */
    }
    assert_true(threads_now() - before <= 2);
    works_reset();
    for (int i = 0; i < 1000; i++) {
        if (i % 7 == 0) works[i].us = 300;
        if (i % 50 == 3) works[i].st = DBM_E_SQL;
        CHECK_STATUS(dbm__loop_work(loop, &works[i].w), DBM_OK);
    }
    until(&works_done, 1000);
    assert_true(most_at_once > 1 && most_at_once <= 4);
    assert_true(threads_now() - before <= 4);
    assert_false(on_loop);
    unmake();
    for (int i = 0; i < 100 && threads_now() != before; i++) nap(1000);
    assert_int_equal(threads_now(), before);
}

static volatile int gate;
static void test_work_limits(void **state) {
    (void)state;
    dbm_loop_options o;
    static const int order[] = { 0, 1, 3, 5, 6 };
    works_reset();
    memset(&o, 0, sizeof o);
    o.workers = 1;
    o.work_queue = 5;
    make_with(&o);
    gate = 0;
    works[0].gate = &gate;
    CHECK_STATUS(dbm__loop_work(loop, &works[0].w), DBM_OK);
    while (__atomic_load_n(&runs_at_once, __ATOMIC_SEQ_CST) == 0) nap(1000); /* it runs, and does not wait any more */
    for (int i = 1; i <= 5; i++) CHECK_STATUS(dbm__loop_work(loop, &works[i].w), DBM_OK);
    CHECK_STATUS(dbm__loop_work(loop, &works[6].w), DBM_E_LIMIT);
    assert_non_null(strstr(dbm_last_error()->message, "work_queue"));
    assert_false(dbm__loop_work_recall(loop, &works[0].w));
    assert_true(dbm__loop_work_recall(loop, &works[2].w));  /* in the middle */
    assert_true(dbm__loop_work_recall(loop, &works[4].w));
    assert_false(dbm__loop_work_recall(loop, &works[4].w)); /* not any more */
    CHECK_STATUS(dbm__loop_work(loop, &works[6].w), DBM_OK);
    __atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
    until(&works_done, 5);
    settle();
    assert_int_equal(works_done, 5);
    assert_memory_equal(run_order, order, sizeof order); /* one worker: in the order they came, and told so */
    assert_memory_equal(done_order, order, sizeof order);
    assert_false(dbm__loop_work_recall(loop, &works[6].w));
    unmake();
}

/* Without threads to run them, the loop does. */
static void test_work_on_loop(void **state) {
    (void)state;
    dbm_loop_options o;
    int before = threads_now();
    works_reset();
    memset(&o, 0, sizeof o);
    o.workers = -1;
    make_with(&o);
    for (int i = 0; i < 10; i++) CHECK_STATUS(dbm__loop_work(loop, &works[i].w), DBM_OK);
    assert_int_equal(works_run, 0); /* not inside of the call */
    assert_true(dbm__loop_work_recall(loop, &works[3].w));
    until(&works_done, 9);
    assert_true(on_loop);
    assert_int_equal(threads_now(), before);
    unmake();
}

/* The end waits for what runs, and for what is queued. */
static void *open_gate(void *ud) {
    (void)ud;
    nap(50000);
    __atomic_store_n(&gate, 1, __ATOMIC_SEQ_CST);
    return NULL;
}
static void test_free_with_work(void **state) {
    (void)state;
    pthread_t t;
    works_reset();
    make();
    gate = 0;
    for (int i = 0; i < 10; i++) {
        works[i].gate = &gate;
        CHECK_STATUS(dbm__loop_work(loop, &works[i].w), DBM_OK);
    }
    assert_int_equal(pthread_create(&t, NULL, open_gate, NULL), 0);
    unmake();
    pthread_join(t, NULL);
    assert_int_equal(works_done, 10);
}

/* What waits for a server that never answers is told after the grace period. */
static void test_grace(void **state) {
    (void)state;
    dbm_options mo;
    dbm_manager *outer = mgr;
    dbm__watch w, t;
    int s[2];
    memset(&mo, 0, sizeof mo);
    mo.grace_ms = 100;
    mo.allocator = test_heap_allocator(&heap);
    CHECK_STATUS(dbm_manager_create(&mgr, &mo), DBM_OK);
    make();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    dbm__watch_init(&w, release_job);
    dbm__watch_init(&t, release_job);
    heard_count = 0;
    dbm__loop_hold(loop);
    dbm__loop_hold(loop);
    dbm__loop_watch(loop, &w, s[0], DBM_STEP_READ, INT64_MAX);
    dbm__loop_watch(loop, &t, -1, 0, now_us() + 3600000000);
    int64_t from = now_us();
    unmake();
    assert_int_equal(heard_count, 2);
    assert_int_equal(heard_status, DBM_E_CLOSED);
    assert_true(now_us() - from >= 100000 && now_us() - from < 5000000);
    close(s[0]);
    close(s[1]);
    dbm_manager_free(mgr);
    mgr = outer;
}

/* ---- failures -------------------------------------------------------------------------------------------------------------------------------------- */

static void test_refused(void **state) {
    (void)state;
    dbm_loop *l = (dbm_loop *)&way;
    dbm_loop_hooks hooks;
    memset(&hooks, 0, sizeof hooks);
    CHECK_STATUS(dbm_loop_create(&l, mgr, DBM_LOOP_OPTIONS(.workers = 65)), DBM_E_MISUSE);
    assert_null(l);
    CHECK_STATUS(dbm_loop_create(&l, mgr, DBM_LOOP_OPTIONS(.workers = -2)), DBM_E_MISUSE);
    CHECK_STATUS(dbm_loop_create(&l, mgr, DBM_LOOP_OPTIONS(.work_queue = 1000001)), DBM_E_MISUSE);
    CHECK_STATUS(dbm_loop_create(&l, mgr, DBM_LOOP_OPTIONS(.hooks = &hooks)), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "watch"));
    CHECK_STATUS(dbm_loop_create(&l, NULL, NULL), DBM_E_MISUSE);
    CHECK_STATUS(dbm_loop_create(NULL, mgr, NULL), DBM_E_MISUSE);
    CHECK_STATUS(dbm_loop_run(NULL, 0), DBM_E_MISUSE);
    CHECK_STATUS(dbm_loop_post(NULL, post_text, NULL), DBM_E_MISUSE);
    CHECK_STATUS(dbm_loop_create(&l, mgr, NULL), DBM_OK);
    CHECK_STATUS(dbm_loop_post(l, NULL, NULL), DBM_E_MISUSE);
    dbm_loop_free(l);
    dbm_loop_free(NULL);
    dbm_loop_stop(NULL);
    struct event_base *b = event_base_new();
    CHECK_STATUS(dbm_loop_on_event(&l, mgr, b, DBM_LOOP_OPTIONS(.hooks = &hooks)), DBM_E_MISUSE);
    CHECK_STATUS(dbm_loop_on_event(&l, mgr, NULL, NULL), DBM_E_MISUSE);
    event_base_free(b);
}

/* Every allocation fails once: a status, and nothing is left over. */
static void test_no_memory(void **state) {
    (void)state;
    for (long n = 1; n < 40; n++) {
        static dbm__watch many[70];
        bool failed;
        dbm_loop *l = NULL;
        long live = test_heap_live(&heap);
        dbm_loop_options o;
        memset(&o, 0, sizeof o);
        o.use_poll = n % 2 == 0;
        works_reset();
        test_heap_fail(&heap, (n + 1) / 2);
        long failures = heap.failed;
        dbm_status st = dbm_loop_create(&l, mgr, &o);
        if (st == DBM_OK) {
            loop = l;
            posted = heard_count = 0;
            bool was_posted = dbm_loop_post(l, post_text, (void *)(uintptr_t)"") == DBM_OK;
            bool works_now = dbm__loop_work(l, &works[0].w) == DBM_OK;
            for (int i = 0; i < 70; i++) {
                dbm__watch_init(&many[i], hear);
                dbm__loop_watch(l, &many[i], -1, 0, now_us());
            }
            int s[2];
            dbm__watch far;
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
            assert_int_equal(dup2(s[0], 300), 300);
            dbm__watch_init(&far, hear);
            dbm__loop_watch(l, &far, 300, DBM_STEP_WRITE, INT64_MAX);
            for (int i = 0; i < 1000 && (heard_count < 71 || (works_now && works_done < 1)); i++) (void)dbm_loop_step(l, 1);
            assert_int_equal(heard_count, 71); /* each, also those that could not be kept */
            assert_int_equal(posted, was_posted);
            assert_int_equal(works_done, works_now);
            dbm__loop_forget(l, 300);
            close(300);
            close(s[0]);
            close(s[1]);
        } else {
            CHECK_STATUS(st, DBM_E_NOMEM);
            assert_null(l);
        }
        dbm_loop_free(l);
        failed = heap.failed != failures;
        test_heap_fail(&heap, 0);
        assert_int_equal(test_heap_live(&heap), live);
        if (!failed) {
            assert_true(n > 8);
            loop = NULL;
            return;
        }
    }
    fail();
}

/* A child has the memory of the loop, and nothing else of it. */
static void test_fork(void **state) {
    (void)state;
    dbm__watch w;
    int s[2], status;
    make();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    dbm__watch_init(&w, hear);
    heard_count = 0;
    works_reset();
    CHECK_STATUS(dbm__loop_work(loop, &works[0].w), DBM_OK);
    until(&works_done, 1);
    dbm__loop_watch(loop, &w, s[0], DBM_STEP_READ, INT64_MAX);
    turn(0);
    pid_t child = fork();
    if (child == 0) {
        int code = 0;
        if (way <= POLL && (dbm_loop_run(loop, 0) != DBM_E_FORKED || dbm_loop_step(loop, 0) != DBM_E_FORKED)) code = 1;
        dbm__loop_unwatch(loop, &w);
        dbm__loop_forget(loop, s[0]);
        close(s[0]);
        if (way != UV && way != EV && way != EVENT) dbm_loop_free(loop);
        _exit(code);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(write(s[1], "x", 1), 1);
    until(&heard_count, 1);
    unmake();
    close(s[0]);
    close(s[1]);
}

/* A clock of the program's that jumps is looked at. */
static int64_t own_now;
static void *jump(void *ud) { (void)ud; nap(30000); __atomic_store_n(&own_now, 3600000000, __ATOMIC_SEQ_CST); return NULL; }
static int64_t own_clock_now(void *ud) { (void)ud; return __atomic_load_n(&own_now, __ATOMIC_SEQ_CST); }
static void test_own_clock(void **state) {
    (void)state;
    dbm_options mo;
    dbm_manager *outer = mgr;
    dbm__watch w;
    pthread_t t;
    if (way > POLL) return;
    memset(&mo, 0, sizeof mo);
    mo.clock = own_clock_now;
    own_now = 1000000;
    CHECK_STATUS(dbm_manager_create(&mgr, &mo), DBM_OK);
    make();
    dbm__watch_init(&w, release_job);
    heard_count = 0;
    dbm__loop_hold(loop);
    dbm__loop_watch(loop, &w, -1, 0, 3600000000);
    assert_int_equal(pthread_create(&t, NULL, jump, NULL), 0);
    CHECK_STATUS(dbm_loop_run(loop, -1), DBM_OK);
    assert_int_equal(heard_count, 1);
    pthread_join(t, NULL);
    unmake();
    dbm_manager_free(mgr);
    mgr = outer;
}

int main(void) {
    static const struct { const char *name; CMUnitTestFunction run; } cases[] = {
        { "order", test_order }, { "not starved", test_not_starved }, { "times", test_times }, { "descriptor or time", test_fd_or_time },
        { "many on one", test_many_on_one }, { "steady state", test_steady_state }, { "numbers come again", test_numbers_come_again },
        { "close others", test_close_others }, { "posts", test_posts }, { "a post wakes", test_post_wakes }, { "posts at the end", test_posts_at_end },
        { "run", test_run }, { "idle", test_idle }, { "busy", test_busy }, { "free inside", test_free_inside }, { "workers", test_workers },
        { "work limits", test_work_limits }, { "work on the loop", test_work_on_loop }, { "free with work", test_free_with_work }, { "grace", test_grace },
        { "fork", test_fork }, { "own clock", test_own_clock }
    };
    static const char *const ways[WAYS] = { "epoll", "poll", "hooks", "all hooks", "libuv", "libev", "libevent" };
    enum { CASES = sizeof cases / sizeof cases[0] };
    static struct CMUnitTest tests[CASES];
    static char names[CASES][64];
    const struct CMUnitTest others[] = {
        cmocka_unit_test_setup_teardown(test_refused, begin, finish), cmocka_unit_test_setup_teardown(test_no_memory, begin, finish)
    };
    int failures = 0;
    signal(SIGPIPE, SIG_IGN);
    for (way = 0; way < WAYS; way++) {
        for (int i = 0; i < (int)CASES; i++) {
            memset(&tests[i], 0, sizeof tests[i]);
            snprintf(names[i], sizeof names[i], "%s: %s", ways[way], cases[i].name);
            tests[i].name = names[i];
            tests[i].test_func = cases[i].run;
            tests[i].setup_func = begin;
            tests[i].teardown_func = finish;
        }
        if (getenv("WAY") != NULL && strcmp(getenv("WAY"), ways[way]) != 0) continue;
        failures += _cmocka_run_group_tests(ways[way], tests, CASES, NULL, NULL);
    }
    way = 0;
    return failures + cmocka_run_group_tests(others, NULL, NULL) != 0;
}
