/* A loop inside of a libev loop.
 * May call: api/, base/, async.h, and ev.
 * Must not know: anything of the loop but its hooks. */
#include "async.h"
#if DBM_HAS_LIBEV
#if defined(__has_include)
#  if !__has_include(<ev.h>)
#    error "dbm: DBM_WITH_LIBEV needs ev.h: install libev-dev (Debian, Alpine), libev (macOS, vcpkg), or put it on the include path"
#  endif
#endif
#include <ev.h>

typedef struct dbm__ev {
    ev_timer timer;
    ev_prepare prepare;
    ev_async async;
    dbm_loop *loop;
    dbm__host *host;
    struct ev_loop *ev;
} dbm__ev;

static void dbm__ev_ready(struct ev_loop *ev, ev_io *io, int events) {
    (void)ev;
    dbm_loop_ready(((dbm__ev *)io->data)->loop, io->fd, events & EV_ERROR ? DBM_STEP_BOTH : (events & EV_READ ? DBM_STEP_READ : 0) | (events & EV_WRITE ? DBM_STEP_WRITE : 0));
}

static dbm_status dbm__ev_watch(void *ud, int fd, int want, void **mine) {
    dbm__ev *b = (dbm__ev *)ud;
    ev_io *io = (ev_io *)*mine;
    if (io != NULL) ev_io_stop(b->ev, io);
    if (want == 0) {
        dbm__free(b->host, io);
        return DBM_OK;
    }
    if (io == NULL && (*mine = io = (ev_io *)dbm__alloc_zero(b->host, sizeof *io)) == NULL) return DBM_E_NOMEM;
    ev_io_init(io, dbm__ev_ready, fd, (want & DBM_STEP_READ ? EV_READ : 0) | (want & DBM_STEP_WRITE ? EV_WRITE : 0));
    io->data = b;
    ev_io_start(b->ev, io);
    return DBM_OK;
}

static void dbm__ev_time(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev; (void)events;
    dbm_loop_timeout(((dbm__ev *)timer->data)->loop);
}
static void dbm__ev_timer(void *ud, int64_t after_us) {
    dbm__ev *b = (dbm__ev *)ud;
    ev_timer_stop(b->ev, &b->timer);
    if (after_us < 0) return;
    if (after_us > 0) ev_now_update(b->ev); /* libev counts from the beginning of its turn */
    ev_timer_set(&b->timer, (double)after_us / 1e6, 0.);
    ev_timer_start(b->ev, &b->timer);
}
static void dbm__ev_prepared(struct ev_loop *ev, ev_prepare *prepare, int events) {
    (void)events;
    ev_prepare_stop(ev, prepare);
    dbm_loop_timeout(((dbm__ev *)prepare->data)->loop);
}
static void dbm__ev_soon(void *ud) { ev_prepare_start(((dbm__ev *)ud)->ev, &((dbm__ev *)ud)->prepare); }
static void dbm__ev_woken(struct ev_loop *ev, ev_async *async, int events) {
    (void)ev; (void)events;
    dbm_loop_timeout(((dbm__ev *)async->data)->loop);
}
static void dbm__ev_wake(void *ud) { ev_async_send(((dbm__ev *)ud)->ev, &((dbm__ev *)ud)->async); }
static void dbm__ev_busy(void *ud, bool busy) {
    if (busy) ev_ref(((dbm__ev *)ud)->ev);
    else ev_unref(((dbm__ev *)ud)->ev);
}
static void dbm__ev_end(void *ud) {
    dbm__ev *b = (dbm__ev *)ud;
    ev_timer_stop(b->ev, &b->timer);
    ev_prepare_stop(b->ev, &b->prepare);
    ev_ref(b->ev);
    ev_async_stop(b->ev, &b->async);
    dbm__free(b->host, b);
}

DBM__DEF dbm_status dbm_loop_on_ev(dbm_loop **out, dbm_manager *mgr, struct ev_loop *ev, const dbm_loop_options *options) {
    dbm__ev *b;
    if (out == NULL || mgr == NULL || ev == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_on_ev: NULL for what it needs");
    b = (dbm__ev *)dbm__alloc_zero(dbm__host_of(mgr), sizeof *b);
    if (b == NULL) {
        *out = NULL;
        return dbm__no_memory(DBM_STAGE_NONE, NULL, NULL);
    }
    b->host = dbm__host_of(mgr);
    b->ev = ev;
    ev_init(&b->timer, dbm__ev_time);
    ev_prepare_init(&b->prepare, dbm__ev_prepared);
    ev_async_init(&b->async, dbm__ev_woken);
    b->timer.data = b->prepare.data = b->async.data = b;
    ev_async_start(ev, &b->async);
    ev_unref(ev);
    dbm_loop_hooks hooks = { b, dbm__ev_watch, dbm__ev_timer, dbm__ev_soon, dbm__ev_wake, dbm__ev_busy, dbm__ev_end };
    return dbm__loop_bind(out, &b->loop, mgr, options, &hooks);
}
#else
DBM__DEF dbm_status dbm_loop_on_ev(dbm_loop **out, dbm_manager *mgr, struct ev_loop *ev, const dbm_loop_options *options) {
    (void)mgr; (void)ev; (void)options;
    return dbm__loop_left_out(out, "the binding to libev", "DBM_WITH_LIBEV");
}
#endif
