/* A proxy in a thread, between a client in the test and a server on this machine: it counts the turns, delays answers, and cuts connections at
 * a chosen moment. For any protocol over TCP.
 *
 *     proxy p;
 *     proxy_start(&p, 5432);                       p.port is where to connect
 *     long before = proxy_turns(&p);               how often a client spoke after it had been silent: round trips, if it waited
 *     proxy_delay(&p, 200);                        milliseconds that each answer is held back
 *     proxy_cut(&p, "COMMIT", PROXY_BEFORE);       when a client says that: cut before it is passed on, or after (once)
 *     proxy_hold(&p, 17);                          of what the servers say from here on, 17 bytes are passed on, and the rest is held back
 *     proxy_held(&p)                               whether so many have been; proxy_release(&p) passes on the rest, and proxy_hang_up(&p) cuts all connections
 *     proxy_start_with(&p, 5432, 8192);            its sockets have buffers of so many bytes, and each way goes on by itself, whatever the other one waits for: it
 *                                                  does nothing but pass on. proxy_narrow(&p, 8192): so small are those, too, that are connected to it now
 *     proxy_stop(&p); */
#ifndef DBM_TEST_PROXY_H
#define DBM_TEST_PROXY_H
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROXY_PAIRS 32
enum { PROXY_NEVER = 0, PROXY_BEFORE, PROXY_AFTER };

typedef struct proxy_pair { int client, server; bool client_spoke; } proxy_pair;
typedef struct proxy_way { int from, to; pthread_t thread; } proxy_way;
typedef struct proxy {
    pthread_mutex_t lock;
    pthread_t thread;
    int port, listener, target, wake[2];
    long turns, connections;
    long bytes_up, bytes_down;
    long left;               /* of what servers say: to be passed on before the rest is held back; -1: all */
    int delay_ms, cut, piece, buffers;
    char word[64];
    bool stop, hang_up;
    proxy_pair pairs[PROXY_PAIRS];
    proxy_way ways[2 * PROXY_PAIRS]; /* with `buffers` */
    int way_count;
} proxy;

static __attribute__((__unused__)) void proxy_buffers(int fd, int bytes) {
    int segment = 1400; /* as long as this machine's own 64 KB, one would wait for room that a small buffer never has */
    if (bytes == 0) return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}
static __attribute__((__unused__)) int proxy_connect(int port, int buffers) {
    struct sockaddr_in to;
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    proxy_buffers(fd, buffers);
    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) return -1;
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        (void)close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static __attribute__((__unused__)) bool proxy_send(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static __attribute__((__unused__)) void proxy_drop(proxy_pair *pair) {
    if (pair->client >= 0) (void)close(pair->client);
    if (pair->server >= 0) (void)close(pair->server);
    pair->client = pair->server = -1;
}

static __attribute__((__unused__)) bool proxy_says(const char *data, size_t size, const char *word) {
    size_t n = strlen(word), i;
    for (i = 0; i + n <= size; i++) if (memcmp(data + i, word, n) == 0) return true;
    return false;
}

static __attribute__((__unused__)) long proxy_number(proxy *p, const long *number) {
    long n;
    (void)pthread_mutex_lock(&p->lock);
    n = *number;
    (void)pthread_mutex_unlock(&p->lock);
    return n;
}

/* One reading from one side of a pair. */
static __attribute__((__unused__)) void proxy_pass(proxy *p, proxy_pair *pair, bool up) {
    static __thread char block[65536];
    long left = up ? -1 : proxy_number(p, &p->left);
    ssize_t n;
    int cut = PROXY_NEVER, delay, piece, sent = 0;
    if (left == 0) return;
    n = recv(up ? pair->client : pair->server, block, left > 0 && left < (long)sizeof block ? (size_t)left : sizeof block, 0);
    if (n < 0 && errno == EINTR) return;
    if (n <= 0) {
        proxy_drop(pair);
        return;
    }
    (void)pthread_mutex_lock(&p->lock);
    if (up) {
        p->bytes_up += n;
        if (!pair->client_spoke) p->turns++;
        if (p->cut != PROXY_NEVER && proxy_says(block, (size_t)n, p->word)) {
            cut = p->cut;
            p->cut = PROXY_NEVER;
        }
    } else {
        p->bytes_down += n;
        if (left >= 0 && p->left >= 0) p->left -= n;
    }
    pair->client_spoke = up;
    delay = up ? 0 : p->delay_ms;
    piece = up ? 0 : p->piece;
    (void)pthread_mutex_unlock(&p->lock);
    if (cut == PROXY_BEFORE) {
        proxy_drop(pair);
        return;
    }
    if (delay > 0) {
        struct timespec t = { delay / 1000, delay % 1000 * 1000000L };
        (void)nanosleep(&t, NULL);
    }
    for (; piece > 0 && n - sent > piece; sent += piece) {
        struct timespec t = { 0, 20000 };
        if (!proxy_send(pair->client, block + sent, (size_t)piece)) break;
        (void)nanosleep(&t, NULL);
    }
    if (!proxy_send(up ? pair->server : pair->client, block + sent, (size_t)(n - sent))) {
        proxy_drop(pair);
        return;
    }
    if (cut == PROXY_AFTER) { /* the server has done it when it answers */
        (void)recv(pair->server, block, sizeof block, 0);
        proxy_drop(pair);
    }
}

static __attribute__((__unused__)) void *proxy_way_main(void *ud) {
    const proxy_way *way = (const proxy_way *)ud;
    char block[16384];
    ssize_t n;
    while ((n = recv(way->from, block, sizeof block, 0)) > 0 && proxy_send(way->to, block, (size_t)n)) {}
    (void)shutdown(way->from, SHUT_RDWR);
    (void)shutdown(way->to, SHUT_RDWR);
    return NULL;
}
static __attribute__((__unused__)) void proxy_ways(proxy *p, int client, int server) {
    for (int i = 0; i < 2; i++) {
        proxy_way *way = &p->ways[p->way_count];
        way->from = i == 0 ? client : server;
        way->to = i == 0 ? server : client;
        if (pthread_create(&way->thread, NULL, proxy_way_main, way) != 0) abort();
        p->way_count++;
    }
}

static __attribute__((__unused__)) void *proxy_main(void *ud) {
    proxy *p = (proxy *)ud;
    for (;;) {
        struct pollfd fds[2 + 2 * PROXY_PAIRS];
        bool held = proxy_number(p, &p->left) == 0;
        int i;
        memset(fds, 0, sizeof fds);
        fds[0].fd = p->wake[0];
        fds[1].fd = p->listener;
        fds[0].events = fds[1].events = POLLIN;
        for (i = 0; i < PROXY_PAIRS; i++) {
            fds[2 + 2 * i].fd = p->pairs[i].client;
            fds[3 + 2 * i].fd = held ? -1 : p->pairs[i].server;
            fds[2 + 2 * i].events = fds[3 + 2 * i].events = POLLIN;
        }
        if (poll(fds, 2 + 2 * PROXY_PAIRS, -1) < 0) continue;
        if (fds[0].revents != 0) {
            char byte;
            bool stop, hang_up;
            (void)!read(p->wake[0], &byte, 1);
            (void)pthread_mutex_lock(&p->lock);
            stop = p->stop;
            hang_up = p->hang_up;
            (void)pthread_mutex_unlock(&p->lock);
            if (stop) break;
            for (i = 0; i < PROXY_PAIRS && hang_up; i++) proxy_drop(&p->pairs[i]);
            (void)pthread_mutex_lock(&p->lock);
            if (hang_up) p->hang_up = false;
            (void)pthread_mutex_unlock(&p->lock);
            continue; /* what is held back may be another now */
        }
        for (i = 0; i < PROXY_PAIRS; i++) {
            if (p->pairs[i].client >= 0 && fds[2 + 2 * i].revents != 0) proxy_pass(p, &p->pairs[i], true);
            if (p->pairs[i].server >= 0 && fds[3 + 2 * i].revents != 0) proxy_pass(p, &p->pairs[i], false);
        }
        if (fds[1].revents != 0) {
            int client = accept(p->listener, NULL, NULL), on = 1;
            for (i = 0; i < PROXY_PAIRS && p->pairs[i].client >= 0; i++) {}
            if (client >= 0 && p->buffers != 0 && p->way_count < 2 * PROXY_PAIRS) {
                int server = proxy_connect(p->target, p->buffers);
                (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                if (server >= 0) proxy_ways(p, client, server);
                else (void)close(client);
            } else if (client >= 0 && i < PROXY_PAIRS) {
                (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                p->pairs[i].client = client;
                p->pairs[i].server = proxy_connect(p->target, p->buffers);
                p->pairs[i].client_spoke = false;
                if (p->pairs[i].server < 0) proxy_drop(&p->pairs[i]);
                (void)pthread_mutex_lock(&p->lock);
                p->connections++;
                (void)pthread_mutex_unlock(&p->lock);
            } else if (client >= 0) {
                (void)close(client);
            }
        }
    }
    for (int i = 0; i < PROXY_PAIRS; i++) proxy_drop(&p->pairs[i]);
    for (int i = 0; i < p->way_count; i++) (void)shutdown(p->ways[i].from, SHUT_RDWR);
    for (int i = 0; i < p->way_count; i++) (void)pthread_join(p->ways[i].thread, NULL);
    for (int i = 0; i < p->way_count; i++) (void)close(p->ways[i].from);
    return NULL;
}

static __attribute__((__unused__)) void proxy_start_with(proxy *p, int target, int buffers) {
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    int i;
    memset(p, 0, sizeof *p);
    p->buffers = buffers;
    (void)pthread_mutex_init(&p->lock, NULL);
    p->target = target;
    p->left = -1;
    for (i = 0; i < PROXY_PAIRS; i++) p->pairs[i].client = p->pairs[i].server = -1;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    proxy_buffers(p->listener, buffers); /* those that it accepts have the same */
    if (p->listener < 0 || bind(p->listener, (const struct sockaddr *)&at, sizeof at) != 0 || listen(p->listener, 64) != 0 ||
        getsockname(p->listener, (struct sockaddr *)&at, &size) != 0 || pipe(p->wake) != 0 || pthread_create(&p->thread, NULL, proxy_main, p) != 0) {
        fail_msg("the proxy does not start: %s", strerror(errno));
    }
    p->port = ntohs(at.sin_port);
}

static __attribute__((__unused__)) void proxy_start(proxy *p, int target) { proxy_start_with(p, target, 0); }
static __attribute__((__unused__)) void proxy_narrow(const proxy *p, int bytes) {
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in to;
        socklen_t size = sizeof to;
        if (getpeername(fd, (struct sockaddr *)&to, &size) == 0 && to.sin_family == AF_INET && ntohs(to.sin_port) == p->port) proxy_buffers(fd, bytes);
    }
}

static __attribute__((__unused__)) void proxy_stop(proxy *p) {
    (void)pthread_mutex_lock(&p->lock);
    p->stop = true;
    (void)pthread_mutex_unlock(&p->lock);
    (void)!write(p->wake[1], "x", 1);
    (void)pthread_join(p->thread, NULL);
    (void)close(p->listener);
    (void)close(p->wake[0]);
    (void)close(p->wake[1]);
    (void)pthread_mutex_destroy(&p->lock);
}

static __attribute__((__unused__)) long proxy_turns(proxy *p) { return proxy_number(p, &p->turns); }

static __attribute__((__unused__)) void proxy_delay(proxy *p, int ms) {
    (void)pthread_mutex_lock(&p->lock);
    p->delay_ms = ms;
    (void)pthread_mutex_unlock(&p->lock);
}

/* What the server says comes in pieces of so many bytes; 0: as it comes. */
static __attribute__((__unused__)) void proxy_piece(proxy *p, int bytes) {
    (void)pthread_mutex_lock(&p->lock);
    p->piece = bytes;
    (void)pthread_mutex_unlock(&p->lock);
}

static __attribute__((__unused__)) void proxy_cut(proxy *p, const char *word, int when) {
    (void)pthread_mutex_lock(&p->lock);
    (void)snprintf(p->word, sizeof p->word, "%s", word);
    p->cut = when;
    (void)pthread_mutex_unlock(&p->lock);
}

static __attribute__((__unused__)) void proxy_tell(proxy *p, long left, bool hang_up) {
    (void)pthread_mutex_lock(&p->lock);
    p->left = left;
    p->hang_up = p->hang_up || hang_up;
    (void)pthread_mutex_unlock(&p->lock);
    (void)!write(p->wake[1], "x", 1);
}
static __attribute__((__unused__)) void proxy_hold(proxy *p, long bytes) { proxy_tell(p, bytes, false); }
static __attribute__((__unused__)) bool proxy_held(proxy *p) { return proxy_number(p, &p->left) == 0; }
static __attribute__((__unused__)) void proxy_release(proxy *p) { proxy_tell(p, -1, false); }
/* What is held back is lost; later connections are passed on. When this returns the cuts are made. */
static __attribute__((__unused__)) void proxy_hang_up(proxy *p) {
    bool wait = true;
    proxy_tell(p, -1, true);
    while (wait) {
        struct timespec t = { 0, 100000 };
        (void)nanosleep(&t, NULL);
        (void)pthread_mutex_lock(&p->lock);
        wait = p->hang_up;
        (void)pthread_mutex_unlock(&p->lock);
    }
}

#endif
