/* Preloaded (LD_PRELOAD) into a contender: counts allocations, sends and reads on sockets and pipes, and clock reads, of all threads. The
 * harness reads the numbers before and after. Freeing is not counted: what is allocated is freed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

typedef struct bench_calls { long allocations, sends, reads, clocks; } bench_calls;
static bench_calls calls;
void bench_shim_read(bench_calls *out);
void bench_shim_read(bench_calls *out) { *out = calls; }

#define COUNT(what) __atomic_fetch_add(&calls.what, 1, __ATOMIC_RELAXED)
/* The next one of this name: looked up once. dlsym() may allocate, but not through malloc() when it succeeds. */
#define NEXT(result, name, ...) \
    static result (*next)(__VA_ARGS__); \
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, #name)

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
void *malloc(size_t size) { COUNT(allocations); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { COUNT(allocations); return __libc_calloc(n, size); }
void *realloc(void *block, size_t size) { COUNT(allocations); return __libc_realloc(block, size); }
void *memalign(size_t align, size_t size) { COUNT(allocations); return __libc_memalign(align, size); }
void *aligned_alloc(size_t align, size_t size) { COUNT(allocations); return __libc_memalign(align, size); }
int posix_memalign(void **out, size_t align, size_t size) { COUNT(allocations); return (*out = __libc_memalign(align, size)) != NULL ? 0 : 12; }

ssize_t send(int fd, const void *data, size_t size, int flags) {
    NEXT(ssize_t, send, int, const void *, size_t, int);
    COUNT(sends);
    return next(fd, data, size, flags);
}
ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size) {
    NEXT(ssize_t, sendto, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    COUNT(sends);
    return next(fd, data, size, flags, to, to_size);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    NEXT(ssize_t, sendmsg, int, const struct msghdr *, int);
    COUNT(sends);
    return next(fd, message, flags);
}
ssize_t write(int fd, const void *data, size_t size) {
    NEXT(ssize_t, write, int, const void *, size_t);
    COUNT(sends);
    return next(fd, data, size);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    NEXT(ssize_t, writev, int, const struct iovec *, int);
    COUNT(sends);
    return next(fd, parts, count);
}
ssize_t recv(int fd, void *data, size_t size, int flags) {
    NEXT(ssize_t, recv, int, void *, size_t, int);
    COUNT(reads);
    return next(fd, data, size, flags);
}
ssize_t recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *from_size) {
    NEXT(ssize_t, recvfrom, int, void *, size_t, int, struct sockaddr *, socklen_t *);
    COUNT(reads);
    return next(fd, data, size, flags, from, from_size);
}
ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
    NEXT(ssize_t, recvmsg, int, struct msghdr *, int);
    COUNT(reads);
    return next(fd, message, flags);
}
ssize_t read(int fd, void *data, size_t size) {
    NEXT(ssize_t, read, int, void *, size_t);
    COUNT(reads);
    return next(fd, data, size);
}
int clock_gettime(clockid_t clock, struct timespec *out) {
    NEXT(int, clock_gettime, clockid_t, struct timespec *);
    COUNT(clocks);
    return next(clock, out);
}
