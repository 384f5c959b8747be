/* Connecting over a list of hosts without blocking, and reading and writing without a SIGPIPE.
 * May call: base/, poll.c, the system's sockets and resolver.
 * Must not know: what travels over a socket, who is at its other end. */
#include "net.h"
#if DBM__SOCKETS

#if defined(_WIN32)
#  include <winsock2.h>
#  include <ws2tcpip.h>
typedef int dbm__socket_length;
#  define DBM__SOCKET_ERROR() WSAGetLastError()
#  define DBM__AGAIN(e) ((e) == WSAEWOULDBLOCK)
#  define DBM__BEGUN(e) ((e) == WSAEWOULDBLOCK || (e) == WSAEINPROGRESS)
#  define DBM__INTERRUPTED(e) ((e) == WSAEINTR)
#  define DBM__NO_SIGNAL 0
#else
#  include <errno.h>
#  include <fcntl.h>
#  include <netdb.h>
#  include <netinet/in.h>
#  include <netinet/tcp.h>
#  include <sys/socket.h>
#  include <sys/types.h>
#  include <sys/un.h>
typedef socklen_t dbm__socket_length;
#  define DBM__SOCKET_ERROR() errno
#  define DBM__AGAIN(e) ((e) == EAGAIN || (e) == EWOULDBLOCK)
#  define DBM__BEGUN(e) ((e) == EINPROGRESS || (e) == EINTR)
#  define DBM__INTERRUPTED(e) ((e) == EINTR)
#  if defined(MSG_NOSIGNAL)
#    define DBM__NO_SIGNAL MSG_NOSIGNAL
#  elif defined(SO_NOSIGPIPE)
#    define DBM__NO_SIGNAL 0
#  else
#    error "dbm: this system has neither MSG_NOSIGNAL nor SO_NOSIGPIPE, so a server that closes would end the program: leave DBM_WITH_REDIS and DBM_WITH_MONGODB undefined"
#  endif
#endif

/* ---- reading, writing, ending --------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__net_send(int fd, const char *data, size_t size, size_t *sent) {
    for (;;) {
        int e;
#if defined(_WIN32)
        int n = send((SOCKET)fd, data, size > INT_MAX ? INT_MAX : (int)size, 0);
#else
        ssize_t n = send(fd, data, size, DBM__NO_SIGNAL);
#endif
        *sent = n > 0 ? (size_t)n : 0;
        if (DBM__LIKELY(n >= 0)) return DBM_OK;
        e = DBM__SOCKET_ERROR();
        if (!DBM__INTERRUPTED(e)) return DBM__AGAIN(e) ? DBM_E_TIMEOUT : DBM_E_LOST;
    }
}

DBM__FN dbm_status dbm__net_receive(int fd, char *data, size_t size, size_t *got) {
    for (;;) {
        int e;
#if defined(_WIN32)
        int n = recv((SOCKET)fd, data, size > INT_MAX ? INT_MAX : (int)size, 0);
#else
        ssize_t n = recv(fd, data, size, 0);
#endif
        *got = n > 0 ? (size_t)n : 0;
        if (DBM__LIKELY(n > 0)) return DBM_OK;
        if (n == 0) return DBM_DONE;
        e = DBM__SOCKET_ERROR();
        if (!DBM__INTERRUPTED(e)) return DBM__AGAIN(e) ? DBM_E_TIMEOUT : DBM_E_LOST;
    }
}

#if defined(_WIN32)
DBM__FN void dbm__net_shut(int fd) { (void)shutdown((SOCKET)fd, SD_BOTH); }
DBM__FN void dbm__net_close(int fd) { if (fd >= 0) (void)closesocket((SOCKET)fd); }
#else
DBM__FN void dbm__net_shut(int fd) { (void)shutdown(fd, SHUT_RDWR); }
DBM__FN void dbm__net_close(int fd) { if (fd >= 0) (void)close(fd); }
#endif

/* ---- connecting ------------------------------------------------------------------------------------------------------ */

/* strerror() need not be safe among threads. */
static const char *dbm__net_reason(int e, char block[32]) {
#if defined(_WIN32)
    if (e == WSAECONNREFUSED) return "connection refused";
    if (e == WSAETIMEDOUT) return "no answer";
    if (e == WSAEHOSTUNREACH || e == WSAENETUNREACH) return "no route to it";
#else
    if (e == ECONNREFUSED) return "connection refused";
    if (e == ETIMEDOUT) return "no answer";
    if (e == EHOSTUNREACH || e == ENETUNREACH || e == EADDRNOTAVAIL) return "no route to it";
    if (e == ENOENT) return "there is no such socket";
    if (e == EACCES || e == EPERM) return "permission denied";
    if (e == ECONNRESET) return "connection reset";
    if (e == EMFILE || e == ENFILE) return "too many open files";
#endif
    dbm__format(block, 32, "system error %d", e);
    return block;
}

static void dbm__dial_note(dbm__dial *d, const char *reason) {
    char note[330];
    dbm__text t = dbm__text_in(d->problem, sizeof d->problem);
    if (d->path != NULL) dbm__format(note, sizeof note, "%s: %s", d->path, reason);
    else dbm__format(note, sizeof note, "%s:%d: %s", d->host, d->at_port, reason);
    if (strstr(d->problem, note) != NULL) return; /* of another address of the same name */
    t.size = strlen(d->problem);
    if (t.size != 0) dbm__put(&t, "; ");
    dbm__put(&t, note);
    dbm__text_end(&t);
}

DBM__FN void dbm__dial_init(dbm__dial *d) {
    memset(d, 0, sizeof *d);
    d->fd = -1;
    d->wake_us = INT64_MAX;
}

static void dbm__dial_drop(dbm__dial *d) {
    dbm__net_close(d->fd);
    d->fd = -1;
}

DBM__FN void dbm__dial_end(dbm__dial *d) {
    if (d->addresses != NULL) freeaddrinfo((struct addrinfo *)d->addresses);
    d->addresses = d->next = NULL;
    if (!d->connected) dbm__dial_drop(d);
}

/* The next place of the list into host and at_port. False: there is none. */
static bool dbm__dial_place(dbm__dial *d) {
    if (d->hosts == NULL) return false;
    d->at_port = d->port;
    (void)dbm__host_next(&d->hosts, d->host, sizeof d->host, &d->at_port);
    if (d->host[0] == 0) memcpy(d->host, "localhost", 10);
    return true;
}

static dbm_status dbm__dial_resolve(dbm__dial *d) {
    struct addrinfo hints, *list = NULL;
    char port[16];
    int rc;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST;
    dbm__format(port, sizeof port, "%d", d->at_port);
#if defined(_WIN32)
    {
        WSADATA unused;
        if (WSAStartup(0x0202, &unused) != 0) return DBM_E_UNSUPPORTED;
    }
#endif
    rc = getaddrinfo(d->host, port, &hints, &list);
    if (rc == EAI_NONAME) { /* no address: a name */
        hints.ai_flags = 0;
        rc = getaddrinfo(d->host, port, &hints, &list);
    }
    if (rc == EAI_MEMORY) return DBM_E_NOMEM;
    if (rc != 0) {
        dbm__dial_note(d, rc == EAI_NONAME ? "there is no such host" : rc == EAI_AGAIN ? "its name can't be looked up now" : "its name can't be looked up");
        return DBM_OK;
    }
    d->addresses = d->next = list;
    return DBM_OK;
}

static bool dbm__dial_is_local(const struct sockaddr *a) {
    if (a->sa_family == AF_INET) {
        struct sockaddr_in v4;
        unsigned char b[4];
        memcpy(&v4, (const void *)a, sizeof v4);
        memcpy(b, &v4.sin_addr, 4);
        return b[0] == 127;
    }
    if (a->sa_family == AF_INET6) {
        static const unsigned char mapped[13] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127 }, one[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
        struct sockaddr_in6 v6;
        memcpy(&v6, (const void *)a, sizeof v6);
        return memcmp(&v6.sin6_addr, one, 16) == 0 || memcmp(&v6.sin6_addr, mapped, 13) == 0;
    }
    return false;
}

/* What is set once on a socket; only that it does not block is a must. */
static bool dbm__dial_settings(dbm__dial *d, bool tcp) {
    int on = 1;
#if defined(_WIN32)
    u_long mode = 1;
    if (ioctlsocket((SOCKET)d->fd, (long)FIONBIO, &mode) != 0) return false;
    if (tcp) (void)setsockopt((SOCKET)d->fd, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    if (tcp && d->keepalive_ms > 0) (void)setsockopt((SOCKET)d->fd, SOL_SOCKET, SO_KEEPALIVE, (const char *)&on, sizeof on);
#else
    int flags = fcntl(d->fd, F_GETFL);
    if (flags < 0 || fcntl(d->fd, F_SETFL, flags | O_NONBLOCK) != 0) return false;
    (void)fcntl(d->fd, F_SETFD, FD_CLOEXEC);
#  if defined(SO_NOSIGPIPE)
    if (setsockopt(d->fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) != 0 && DBM__NO_SIGNAL == 0) return false;
#  endif
    if (!tcp) return true;
    (void)setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    dbm__net_keep_alive(d->fd, d->keepalive_ms, d->user_timeout_ms);
#endif
    return true;
}

/* Begins to connect to one address. False: it can't be reached, which has been noted. */
static bool dbm__dial_begin(dbm__dial *d, const struct sockaddr *address, dbm__socket_length size, int family, bool *again) {
    char block[32];
    int e;
    *again = false;
#if defined(_WIN32)
    d->fd = (int)socket(family, SOCK_STREAM, 0);
#else
    d->fd = socket(family, SOCK_STREAM, 0);
#endif
    if (d->fd < 0 || !dbm__dial_settings(d, d->path == NULL)) {
        dbm__dial_note(d, dbm__net_reason(DBM__SOCKET_ERROR(), block));
        dbm__dial_drop(d);
        return false;
    }
#if defined(_WIN32)
    if (connect((SOCKET)d->fd, address, size) == 0) return true;
#else
    if (connect(d->fd, address, size) == 0) return true;
#endif
    e = DBM__SOCKET_ERROR();
    if (DBM__BEGUN(e)) return true;
    *again = d->path != NULL && DBM__AGAIN(e); /* a local server whose queue is full: there is nothing to wait on */
    if (!*again) dbm__dial_note(d, dbm__net_reason(e, block));
    dbm__dial_drop(d);
    return false;
}

static bool dbm__dial_begin_path(dbm__dial *d, bool *again) {
    *again = false;
#if defined(_WIN32)
    dbm__dial_note(d, "there are no local sockets on this system");
    return false;
#else
    {
        struct sockaddr_un a;
        size_t size = strlen(d->path);
        memset(&a, 0, sizeof a);
        a.sun_family = AF_UNIX;
        if (size >= sizeof a.sun_path) {
            dbm__dial_note(d, "the path is too long for a socket");
            return false;
        }
        memcpy(a.sun_path, d->path, size);
        return dbm__dial_begin(d, (const struct sockaddr *)(const void *)&a, (dbm__socket_length)sizeof a, AF_UNIX, again);
    }
#endif
}

static dbm_step dbm__dial_done(dbm__dial *d, dbm_status status) {
    d->status = status;
    d->wake_us = INT64_MAX;
    dbm__dial_end(d);
    return DBM_STEP_DONE;
}

/* The time that this place gets: what is left, by the number of places that are left. */
static void dbm__dial_share(dbm__dial *d, int64_t now, int64_t deadline_us) {
    int64_t places = 1;
    const struct addrinfo *a;
    const char *c;
    for (a = (const struct addrinfo *)d->next; a != NULL; a = a->ai_next) places++;
    if (d->hosts != NULL) for (places++, c = d->hosts; *c != 0; c++) if (*c == ',') places++;
    d->until_us = deadline_us == INT64_MAX ? INT64_MAX : now + (deadline_us - now) / places;
}

DBM__FN dbm_step dbm__dial_step(dbm__dial *d, dbm__host *host, int64_t deadline_us) {
    bool again = false;
    char block[32];
    for (;;) {
        int64_t now = dbm__now(host);
        if (d->fd >= 0) {
            int e = 0;
            dbm__socket_length size = (dbm__socket_length)sizeof e;
            if (dbm__net_wait(host, d->fd, DBM_STEP_WRITE, now) == DBM_E_TIMEOUT) {
                if (now < d->until_us) {
                    d->wake_us = d->until_us;
                    return DBM_STEP_WRITE;
                }
                dbm__dial_note(d, "no answer");
                dbm__dial_drop(d);
                continue;
            }
#if defined(_WIN32)
            if (getsockopt((SOCKET)d->fd, SOL_SOCKET, SO_ERROR, (char *)&e, &size) != 0) e = DBM__SOCKET_ERROR();
#else
            if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &e, &size) != 0) e = DBM__SOCKET_ERROR();
#endif
            if (e == 0) {
                d->connected = true;
                return dbm__dial_done(d, DBM_OK);
            }
            dbm__dial_note(d, dbm__net_reason(e, block));
            dbm__dial_drop(d);
        }
        if (now >= deadline_us) {
            if (d->problem[0] == 0) dbm__dial_note(d, "no answer");
            return dbm__dial_done(d, DBM_E_TIMEOUT);
        }
        if (d->path != NULL) {
            if (d->problem[0] != 0) return dbm__dial_done(d, DBM_E_CONNECT);
            d->until_us = deadline_us;
            d->local = true;
            if (!dbm__dial_begin_path(d, &again) && again) {
                d->wake_us = now + 10000;
                return DBM_STEP_TIMER;
            }
        } else if (d->next != NULL) {
            const struct addrinfo *a = (const struct addrinfo *)d->next;
            d->next = a->ai_next;
            dbm__dial_share(d, now, deadline_us);
            d->local = dbm__dial_is_local(a->ai_addr);
            (void)dbm__dial_begin(d, a->ai_addr, (dbm__socket_length)a->ai_addrlen, a->ai_family, &again);
        } else {
            dbm_status st;
            if (d->addresses != NULL) freeaddrinfo((struct addrinfo *)d->addresses);
            d->addresses = NULL;
            if (!dbm__dial_place(d)) return dbm__dial_done(d, DBM_E_CONNECT);
            st = dbm__dial_resolve(d);
            if (st != DBM_OK) return dbm__dial_done(d, st);
        }
    }
}
#endif /* DBM__SOCKETS */
