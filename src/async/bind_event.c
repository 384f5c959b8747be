/* A loop inside of a libevent base.
 * May call: api/, base/, async.h, and event2.
 * Must not know: anything of the loop but its hooks. */
#include "async.h"
#if DBM_HAS_LIBEVENT
#if defined(__has_include)
#  if !__has_include(<event2/event.h>)
#    error "dbm: DBM_WITH_LIBEVENT needs event2/event.h: install libevent-dev (Debian, Alpine), libevent (macOS, vcpkg), or put it on the include path"
#  endif
#endif
#include <event2/event.h>

typedef struct dbm__event_base {
    struct event *timer, *soon;
    dbm_loop *loop;
    dbm__host *host;
    struct event_base *base;
} dbm__event_base;

static void dbm__event_ready(evutil_socket_t fd, short events, void *ud) {
    dbm_loop_ready(((dbm__event_base *)ud)->loop, (int)fd, (events & EV_READ ? DBM_STEP_READ : 0) | (events & EV_WRITE ? DBM_STEP_WRITE : 0));
}

static dbm_status dbm__event_watch(void *ud, int fd, int want, void **mine) {
    dbm__event_base *b = (dbm__event_base *)ud;
    struct event *e = (struct event *)*mine;
    short what = (short)(EV_PERSIST | (want & DBM_STEP_READ ? EV_READ : 0) | (want & DBM_STEP_WRITE ? EV_WRITE : 0));
    if (want == 0) {
        if (e != NULL) event_free(e);
        return DBM_OK;
    }
    if (e != NULL) {
        (void)event_del(e);
        if (event_assign(e, b->base, fd, what, dbm__event_ready, b) != 0) return DBM_E_LOST;
    } else if ((*mine = e = event_new(b->base, fd, what, dbm__event_ready, b)) == NULL) {
        return DBM_E_NOMEM;
    }
    if (event_add(e, NULL) == 0) return DBM_OK;
    event_free(e);
    *mine = NULL;
    return DBM_E_LOST;
}

static void dbm__event_time(evutil_socket_t fd, short events, void *ud) {
    (void)fd; (void)events;
    dbm_loop_timeout(((dbm__event_base *)ud)->loop);
}
static void dbm__event_timer(void *ud, int64_t after_us) {
    struct timeval tv;
    tv.tv_sec = after_us / 1000000;
    tv.tv_usec = after_us % 1000000;
    if (after_us < 0) (void)event_del(((dbm__event_base *)ud)->timer);
    else (void)event_add(((dbm__event_base *)ud)->timer, &tv);
}
static void dbm__event_soon(void *ud) { event_active(((dbm__event_base *)ud)->soon, EV_TIMEOUT, 0); }
static void dbm__event_end(void *ud) {
    dbm__event_base *b = (dbm__event_base *)ud;
    if (b->timer != NULL) event_free(b->timer);
    if (b->soon != NULL) event_free(b->soon);
    dbm__free(b->host, b);
}

DBM__DEF dbm_status dbm_loop_on_event(dbm_loop **out, dbm_manager *mgr, struct event_base *base, const dbm_loop_options *options) {
    dbm__event_base *b;
    if (out == NULL || mgr == NULL || base == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_on_event: NULL for what it needs");
    *out = NULL;
    b = (dbm__event_base *)dbm__alloc_zero(dbm__host_of(mgr), sizeof *b);
    if (b == NULL) return dbm__no_memory(DBM_STAGE_NONE, NULL, NULL);
    b->host = dbm__host_of(mgr);
    b->base = base;
    b->timer = event_new(base, -1, 0, dbm__event_time, b);
    b->soon = event_new(base, -1, 0, dbm__event_time, b);
    dbm_loop_hooks hooks = { b, dbm__event_watch, dbm__event_timer, dbm__event_soon, NULL, NULL, dbm__event_end };
    if (b->timer != NULL && b->soon != NULL) return dbm__loop_bind(out, &b->loop, mgr, options, &hooks);
    dbm__event_end(b);
    return dbm__no_memory(DBM_STAGE_NONE, NULL, NULL);
}
#else
DBM__DEF dbm_status dbm_loop_on_event(dbm_loop **out, dbm_manager *mgr, struct event_base *base, const dbm_loop_options *options) {
    (void)mgr; (void)base; (void)options;
    return dbm__loop_left_out(out, "the binding to libevent", "DBM_WITH_LIBEVENT");
}
#endif
