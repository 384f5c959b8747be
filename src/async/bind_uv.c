/* A loop inside of a libuv loop.
 * May call: api/, base/, async.h, and uv.
 * Must not know: anything of the loop but its hooks. */
#include "async.h"
#if DBM_HAS_LIBUV
#if defined(__has_include)
#  if !__has_include(<uv.h>)
#    error "dbm: DBM_WITH_LIBUV needs uv.h: install libuv1-dev (Debian), libuv-dev (Alpine), libuv (macOS, vcpkg), or put it on the include path"
#  endif
#endif
#include <uv.h>
#include <stdlib.h>

/* libuv has its handles until their close callbacks, which may come when the loop and its manager are gone: hence malloc. */
typedef struct dbm__uv {
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_async_t async;
    dbm_loop *loop;
    uv_loop_t *uv;
    int handles;
} dbm__uv;
typedef struct dbm__uv_fd { uv_poll_t poll; int fd; } dbm__uv_fd;

static void dbm__uv_ready(uv_poll_t *poll, int status, int events) {
    int what = status < 0 ? DBM_STEP_BOTH : (events & UV_READABLE ? DBM_STEP_READ : 0) | (events & UV_WRITABLE ? DBM_STEP_WRITE : 0);
    dbm_loop_ready(((dbm__uv *)poll->data)->loop, ((dbm__uv_fd *)(void *)poll)->fd, what);
}
static void dbm__uv_fd_closed(uv_handle_t *handle) { free(handle); }

/* Its poll handle is closed when nobody waits: libuv must know of no descriptor that somebody may close. */
static dbm_status dbm__uv_watch(void *ud, int fd, int want, void **mine) {
    dbm__uv *b = (dbm__uv *)ud;
    dbm__uv_fd *p = (dbm__uv_fd *)*mine;
    int rc;
    if (p == NULL && want == 0) return DBM_OK;
    if (p == NULL) {
        p = (dbm__uv_fd *)malloc(sizeof *p);
        if (p == NULL) return DBM_E_NOMEM;
        rc = uv_poll_init_socket(b->uv, &p->poll, (uv_os_sock_t)fd);
        if (rc != 0) {
            free(p);
            return rc == UV_ENOMEM ? DBM_E_NOMEM : rc == UV_EEXIST ? DBM_E_MISUSE : DBM_E_LOST;
        }
        p->fd = fd;
        p->poll.data = b;
        *mine = p;
    }
    if (want != 0 && uv_poll_start(&p->poll, (want & DBM_STEP_READ ? UV_READABLE : 0) | (want & DBM_STEP_WRITE ? UV_WRITABLE : 0), dbm__uv_ready) == 0) return DBM_OK;
    *mine = NULL;
    uv_close((uv_handle_t *)&p->poll, dbm__uv_fd_closed);
    return want == 0 ? DBM_OK : DBM_E_LOST;
}

static void dbm__uv_time(uv_timer_t *timer) { dbm_loop_timeout(((dbm__uv *)timer->data)->loop); }
static void dbm__uv_idle(uv_idle_t *idle) {
    (void)uv_idle_stop(idle);
    dbm_loop_timeout(((dbm__uv *)idle->data)->loop);
}
static void dbm__uv_timer(void *ud, int64_t after_us) {
    dbm__uv *b = (dbm__uv *)ud;
    (void)uv_timer_stop(&b->timer);
    if (after_us == 0) {
        (void)uv_idle_start(&b->idle, dbm__uv_idle); /* a timer of 0 that is set in a timer comes before all descriptors, for ever */
    } else if (after_us > 0) {
        uv_update_time(b->uv); /* libuv counts from the beginning of its turn */
        (void)uv_timer_start(&b->timer, dbm__uv_time, ((uint64_t)after_us + 999) / 1000, 0);
    }
}
static void dbm__uv_prepared(uv_prepare_t *prepare) {
    (void)uv_prepare_stop(prepare);
    dbm_loop_timeout(((dbm__uv *)prepare->data)->loop);
}
static void dbm__uv_soon(void *ud) { (void)uv_prepare_start(&((dbm__uv *)ud)->prepare, dbm__uv_prepared); }
static void dbm__uv_woken(uv_async_t *async) { dbm_loop_timeout(((dbm__uv *)async->data)->loop); }
static void dbm__uv_wake(void *ud) { (void)uv_async_send(&((dbm__uv *)ud)->async); }
static void dbm__uv_busy(void *ud, bool busy) {
    if (busy) uv_ref((uv_handle_t *)&((dbm__uv *)ud)->async);
    else uv_unref((uv_handle_t *)&((dbm__uv *)ud)->async);
}

static void dbm__uv_closed(uv_handle_t *handle) {
    dbm__uv *b = (dbm__uv *)handle->data;
    if (--b->handles == 0) free(b);
}
static void dbm__uv_end(void *ud) {
    dbm__uv *b = (dbm__uv *)ud;
    uv_close((uv_handle_t *)&b->timer, dbm__uv_closed);
    uv_close((uv_handle_t *)&b->prepare, dbm__uv_closed);
    uv_close((uv_handle_t *)&b->idle, dbm__uv_closed);
    uv_close((uv_handle_t *)&b->async, dbm__uv_closed);
}

DBM__DEF dbm_status dbm_loop_on_uv(dbm_loop **out, dbm_manager *mgr, struct uv_loop_s *uv, const dbm_loop_options *options) {
    dbm__uv *b;
    if (out == NULL || uv == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_loop_on_uv: NULL for what it needs");
    b = (dbm__uv *)calloc(1, sizeof *b);
    if (b == NULL || uv_async_init(uv, &b->async, dbm__uv_woken) != 0) {
        free(b);
        *out = NULL;
        return dbm__no_memory(DBM_STAGE_NONE, NULL, NULL);
    }
    (void)uv_timer_init(uv, &b->timer);
    (void)uv_prepare_init(uv, &b->prepare);
    (void)uv_idle_init(uv, &b->idle);
    uv_unref((uv_handle_t *)&b->async);
    b->timer.data = b->prepare.data = b->idle.data = b->async.data = b;
    b->handles = 4;
    b->uv = uv;
    dbm_loop_hooks hooks = { b, dbm__uv_watch, dbm__uv_timer, dbm__uv_soon, dbm__uv_wake, dbm__uv_busy, dbm__uv_end };
    return dbm__loop_bind(out, &b->loop, mgr, options, &hooks);
}
#else
DBM__DEF dbm_status dbm_loop_on_uv(dbm_loop **out, dbm_manager *mgr, struct uv_loop_s *uv, const dbm_loop_options *options) {
    (void)mgr; (void)uv; (void)options;
    return dbm__loop_left_out(out, "the binding to libuv", "DBM_WITH_LIBUV");
}
#endif
