/* Waiting for one socket, and peeking at it. Neither reads, writes, nor raises a signal.
 * May call: base/, the system's poll() and recv().
 * Must not know: what travels over the socket. */
#include "net.h"

#if defined(_WIN32)
/* WSAPoll() by hand: a program without sockets then needs neither winsock2.h, which must come before windows.h, nor ws2_32 on
 * its link line; one with sockets has that library loaded. */
DBM__FN int dbm__poll(dbm__poll_fd *p, int count, int ms, bool *again) {
    typedef int (WINAPI *dbm__wsapoll)(dbm__poll_fd *, ULONG, INT);
    HMODULE library = GetModuleHandleA("ws2_32.dll");
    dbm__wsapoll call = library ? (dbm__wsapoll)(void (*)(void))GetProcAddress(library, "WSAPoll") : NULL;
    *again = false;
    return call ? call(p, (ULONG)count, ms) : -2;
}
#elif DBM__POLL
#  include <errno.h>
#  include <sys/types.h>
#  include <sys/socket.h>
DBM__FN int dbm__poll(dbm__poll_fd *p, int count, int ms, bool *again) {
    int n = poll(p, (nfds_t)count, ms);
    *again = n < 0 && (errno == EINTR || errno == EAGAIN);
    return n;
}
#endif

#if DBM__POLL
/* Milliseconds to the time, rounded up so that the last one is not spent in a spin; an hour at most, as poll() takes an int. */
static int dbm__poll_ms(dbm__host *host, int64_t until_us) {
    const int64_t hour_us = INT64_C(3600000000);
    int64_t now, left_us;
    if (until_us == INT64_MAX && !host->clock) return 1000;
    now = dbm__now(host);
    if (now >= until_us) return 0;
    if (host->clock) return 1; /* a clock of the program's may jump: look at it every millisecond */
    left_us = (uint64_t)until_us - (uint64_t)now > (uint64_t)hour_us ? hour_us : until_us - now;
    return (int)((left_us + 999) / 1000);
}

DBM__FN dbm_status dbm__net_wait(dbm__host *host, int fd, int want, int64_t until_us) {
    dbm__poll_fd p;
    int n, ms;
    bool again;
    if (fd < 0 || !(want & DBM_STEP_BOTH)) {
        dbm__sleep_until(host, until_us);
        return DBM_E_TIMEOUT;
    }
    for (;;) {
        p.fd = (dbm__poll_number)fd;
        p.events = (short)((want & DBM_STEP_READ ? DBM__POLL_IN : 0) | (want & DBM_STEP_WRITE ? DBM__POLL_OUT : 0));
        p.revents = 0;
        ms = dbm__poll_ms(host, until_us);
        n = dbm__poll(&p, 1, ms, &again);
        if (n > 0) return p.revents & p.events ? DBM_OK : DBM_E_LOST;
        if (n == -2) return DBM_E_UNSUPPORTED;
        if (n < 0 && !again) return DBM_E_LOST;
        if (n == 0 && (ms == 0 || until_us == INT64_MAX)) return DBM_E_TIMEOUT;
    }
}

DBM__FN void dbm__net_wait_many(dbm__host *host, dbm__net_item *items, int count, int64_t until_us) {
    dbm__poll_fd p[DBM__NET_MANY];
    int which[DBM__NET_MANY], i, n, polled = 0;
    bool again;
    for (i = 0; i < count; i++) {
        items[i].heard = DBM_E_TIMEOUT;
        if (items[i].fd < 0 || !(items[i].want & DBM_STEP_BOTH)) continue;
        memset(&p[polled], 0, sizeof p[polled]);
        p[polled].fd = (dbm__poll_number)items[i].fd;
        if (items[i].want & DBM_STEP_READ) p[polled].events = (short)(p[polled].events | DBM__POLL_IN);
        if (items[i].want & DBM_STEP_WRITE) p[polled].events = (short)(p[polled].events | DBM__POLL_OUT);
        which[polled++] = i;
    }
    if (polled == 0) {
        dbm__sleep_until(host, until_us);
        return;
    }
    for (;;) {
        int ms = dbm__poll_ms(host, until_us);
        n = dbm__poll(p, polled, ms, &again);
        if (n > 0 || (n < 0 && !again)) break;
        if (n == 0 && (ms == 0 || until_us == INT64_MAX)) return;
    }
    for (i = 0; i < polled; i++) {
        if (n == -2) items[which[i]].heard = DBM_E_UNSUPPORTED;
        else if (n < 0) items[which[i]].heard = DBM_E_LOST;
        else if (p[i].revents != 0) items[which[i]].heard = p[i].revents & p[i].events ? DBM_OK : DBM_E_LOST;
    }
}
#else
DBM__FN void dbm__net_wait_many(dbm__host *host, dbm__net_item *items, int count, int64_t until_us) {
    int i;
    for (i = 0; i < count; i++) items[i].heard = items[i].fd >= 0 && (items[i].want & DBM_STEP_BOTH) ? DBM_E_UNSUPPORTED : DBM_E_TIMEOUT;
    for (i = 0; i < count; i++) if (items[i].heard == DBM_E_UNSUPPORTED) return;
    dbm__sleep_until(host, until_us);
}

DBM__FN dbm_status dbm__net_wait(dbm__host *host, int fd, int want, int64_t until_us) {
    if (fd >= 0 && (want & DBM_STEP_BOTH)) return DBM_E_UNSUPPORTED;
    dbm__sleep_until(host, until_us);
    return DBM_E_TIMEOUT;
}
#endif

#if DBM__POLL && !defined(_WIN32)
DBM__FN dbm_status dbm__net_peek(int fd) {
    char byte;
    ssize_t n;
    do n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? DBM_OK : DBM_E_LOST;
}
#elif DBM__POLL
/* Being readable says it all: an end, an error and unexpected bytes are one answer. */
DBM__FN dbm_status dbm__net_peek(int fd) {
    dbm__poll_fd p;
    int n;
    bool again;
    if (fd < 0) return DBM_E_LOST;
    memset(&p, 0, sizeof p);
    p.fd = (dbm__poll_number)fd;
    p.events = (short)DBM__POLL_IN;
    n = dbm__poll(&p, 1, 0, &again);
    return n == -2 ? DBM_E_UNSUPPORTED : n == 0 ? DBM_OK : DBM_E_LOST;
}
#else
DBM__FN dbm_status dbm__net_peek(int fd) { (void)fd; return DBM_E_UNSUPPORTED; }
#endif

#if DBM__SOCKETS || DBM_HAS_MYSQL
#if defined(_WIN32) || !DBM__POLL
DBM__FN void dbm__net_keep_alive(int fd, int keepalive_ms, int user_timeout_ms) { (void)fd; (void)keepalive_ms; (void)user_timeout_ms; }
DBM__FN void dbm__hush_begin(dbm__hush *h, bool on) { h->on = on; }
DBM__FN void dbm__hush_end(dbm__hush *h) { (void)h; }
#else
#include <netinet/in.h>
#include <netinet/tcp.h>
DBM__FN void dbm__net_keep_alive(int fd, int keepalive_ms, int user_timeout_ms) {
    int on = keepalive_ms > 0, seconds = keepalive_ms > 1000 ? keepalive_ms / 1000 : 1, every = seconds > 6 ? seconds / 6 : 1, times = 3;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#  if defined(TCP_KEEPIDLE)
    if (on) (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
#  elif defined(TCP_KEEPALIVE)
    if (on) (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPALIVE, &seconds, sizeof seconds);
#  endif
#  if defined(TCP_KEEPINTVL) && defined(TCP_KEEPCNT)
    if (on) (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
    if (on) (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
#  else
    (void)every;
    (void)times;
#  endif
#  if defined(TCP_USER_TIMEOUT)
    if (user_timeout_ms > 0) (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
#  else
    (void)user_timeout_ms;
#  endif
}

static void dbm__hush_mask(int how, const sigset_t *set, sigset_t *before) {
#if DBM__THREADS
    (void)pthread_sigmask(how, set, before);
#else
    (void)sigprocmask(how, set, before);
#endif
}

static bool dbm__hush_pending(void) {
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

DBM__FN void dbm__hush_begin(dbm__hush *h, bool on) {
    sigset_t set;
    h->on = on;
    if (!on) return;
    h->pending = dbm__hush_pending();
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    dbm__hush_mask(SIG_BLOCK, &set, &h->before);
}

DBM__FN void dbm__hush_end(dbm__hush *h) {
    sigset_t set;
    int kept = errno, taken;
    if (!h->on) return;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    if (!h->pending && dbm__hush_pending()) (void)sigwait(&set, &taken);
    dbm__hush_mask(SIG_SETMASK, &h->before, NULL);
    errno = kept;
}
#endif
#endif
