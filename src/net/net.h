/* Sockets, as far as they are the same for every backend: waiting for one, and asking whether its peer is still there.
 * May call: api/, base/.
 * Must not know: protocols, pools, sessions. */
#ifndef DBM__NET_H
#define DBM__NET_H
#include "../base/base.h"

/* Waits until fd is ready for `want` (DBM_STEP_READ, DBM_STEP_WRITE, or both), until until_us on the host's clock at the latest
 * (INT64_MAX: a second at the most, so that the caller can look around; a time that has passed: one look). A negative fd is only waited with, as is DBM_STEP_TIMER.
 * Returns   DBM_OK: ready, also for the end of the stream and for an error that reading or writing will tell;
 *           DBM_E_TIMEOUT; DBM_E_LOST: fd is none, or is broken with nothing to read or write; DBM_E_UNSUPPORTED: this system
 *           cannot wait for sockets. The thread's last failure is left to the caller, who knows the database. */
DBM__FN dbm_status dbm__net_wait(dbm__host *host, int fd, int want, int64_t until_us);

/* The same for up to DBM__NET_MANY sockets at once: comes back when one is ready, or at the time. `heard` of each says what dbm__net_wait() would
 * have; one with a negative fd is only waited with. */
#define DBM__NET_MANY 64
typedef struct dbm__net_item { int fd, want; dbm_status heard; } dbm__net_item;
DBM__FN void dbm__net_wait_many(dbm__host *host, dbm__net_item *items, int count, int64_t until_us);

/* Looks at an idle connection without a round trip and without reading from it.
 * Returns   DBM_OK: open and silent; DBM_E_LOST: closed, broken, or bytes came that nobody asked for; DBM_E_UNSUPPORTED. */
DBM__FN dbm_status dbm__net_peek(int fd);

/* poll() as this system has it, for async/ too: > 0 ready; 0 the time came; < 0: *again says whether it was only disturbed; -2: there is none. */
#if defined(_WIN32)
#  define DBM__POLL 1
typedef struct dbm__poll_fd { UINT_PTR fd; SHORT events, revents; } dbm__poll_fd;
typedef UINT_PTR dbm__poll_number;
enum { DBM__POLL_IN = 0x0300, DBM__POLL_OUT = 0x0010 };
#elif defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__POLL 1
#  include <poll.h>
typedef struct pollfd dbm__poll_fd;
typedef int dbm__poll_number;
enum { DBM__POLL_IN = POLLIN, DBM__POLL_OUT = POLLOUT };
#else
#  define DBM__POLL 0
#endif
#if DBM__POLL
DBM__FN int dbm__poll(dbm__poll_fd *p, int count, int ms, bool *again);
#endif

#if DBM__SOCKETS || DBM_HAS_MYSQL
/* ---- what drivers leave to us ------------------------------------------------------------------------------------------------------
 * Keep-alive after so much silence, none at 0; and how long what was sent may stay unacknowledged, at 0 as the system has it. */
DBM__FN void dbm__net_keep_alive(int fd, int keepalive_ms, int user_timeout_ms);
/* Around a call of a driver that may raise SIGPIPE: it is held back meanwhile, and taken away if it came. */
#if !defined(_WIN32)
#  include <signal.h>
#endif
typedef struct dbm__hush {
    bool on, pending;
#if !defined(_WIN32)
    sigset_t before;
#endif
} dbm__hush;
DBM__FN void dbm__hush_begin(dbm__hush *h, bool on);
DBM__FN void dbm__hush_end(dbm__hush *h);
#endif

#if DBM__SOCKETS
/* ---- sockets of our own: for backends whose driver is not given the socket's reads and writes -------------------------------------
 * A connect over a list of places: the hosts in order, of each all its addresses, until one answers. What is left of the time is shared
 * among the places that are left, so that one that swallows packets does not eat it all. Nothing blocks but the system's resolver, which is
 * only asked for names that are no addresses.
 *     dbm__dial d; dbm__dial_init(&d); d.hosts = "db1:6379,[::1]"; d.port = 6379;
 *     while ((want = dbm__dial_step(&d, host, deadline)) != DBM_STEP_DONE) wait for d.fd until d.wake_us;
 *     d.status: DBM_OK and d.fd is the caller's, or DBM_E_CONNECT, DBM_E_TIMEOUT, DBM_E_CONFIG, DBM_E_NOMEM with d.problem
 *     dbm__dial_end(&d);          also at any other moment; closes a socket that is not connected yet */
typedef struct dbm__dial {
    /* in */
    const char *hosts;            /* "a:1,[::1]:2", percent-encoded; what is left of it */
    const char *path;             /* of a local socket, in the place of hosts */
    int port;                     /* where the list names none */
    int keepalive_ms, user_timeout_ms; /* 0: as the system has it */
    /* out */
    int fd;
    int64_t wake_us;
    dbm_status status;
    bool local;                   /* it is on this machine */
    char host[256];               /* the one that was reached, or tried last; without brackets and zone for a certificate's name */
    char problem[400];            /* "a:1: connection refused; b:2: no answer" */
    /* inside */
    bool connected;
    int at_port;
    void *addresses, *next;
    int64_t until_us;
} dbm__dial;
DBM__FN void dbm__dial_init(dbm__dial *d);
DBM__FN dbm_step dbm__dial_step(dbm__dial *d, dbm__host *host, int64_t deadline_us);
DBM__FN void dbm__dial_end(dbm__dial *d);

/* Neither blocks nor raises SIGPIPE.
 * Returns   DBM_OK and how much; DBM_E_TIMEOUT: not now; DBM_DONE: the peer has closed; DBM_E_LOST. */
DBM__FN dbm_status dbm__net_send(int fd, const char *data, size_t size, size_t *sent);
DBM__FN dbm_status dbm__net_receive(int fd, char *data, size_t size, size_t *got);
/* Ends what another thread may be waiting for on it; the descriptor stays. */
DBM__FN void dbm__net_shut(int fd);
DBM__FN void dbm__net_close(int fd);
#endif
#endif /* DBM__NET_H */
