/* The machine: locks, signals, the stand-in for atomics, clock, sleep, fork watch, thread-local struct, memory.
 * May call: base.h's declarations, the C library, the system's threads and clock.
 * Must not know: what is locked, timed or allocated. */
#include "base.h"

/* Which clock, and which way to sleep, this system has. */
#if defined(_WIN32)
#  define DBM__OS_WINDOWS 1
#  define DBM__OS_POSIX 0
#elif defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  define DBM__OS_WINDOWS 0
#  define DBM__OS_POSIX 1
#  include <errno.h>
#  if !DBM__THREADS
#    include <unistd.h>
#  endif
#else
#  define DBM__OS_WINDOWS 0
#  define DBM__OS_POSIX 0
#endif

#define DBM__SLICE_US INT64_C(1000)           /* how long a wait on a clock of the program's sleeps between two looks at it */
#define DBM__WAIT_MAX_US INT64_C(86400000000) /* one wait of the system, at most: a day fits every time_t and every DWORD */

/* ---- locks and signals --------------------------------------------------------------------------------------------- */
#if !DBM__THREADS
DBM__FN bool dbm__lock_init(dbm__lock *lock) { lock->none = 0; return true; }
DBM__FN void dbm__lock_free(dbm__lock *lock) { (void)lock; }
DBM__FN void dbm__lock_take(dbm__lock *lock) { (void)lock; }
DBM__FN void dbm__lock_give(dbm__lock *lock) { (void)lock; }
DBM__FN bool dbm__signal_init(dbm__signal *signal) { signal->none = 0; return true; }
DBM__FN void dbm__signal_free(dbm__signal *signal) { (void)signal; }
DBM__FN void dbm__signal_one(dbm__signal *signal) { (void)signal; }
DBM__FN void dbm__signal_all(dbm__signal *signal) { (void)signal; }
DBM__FN void dbm__yield(void) { }
#elif DBM__OS_WINDOWS
DBM__FN bool dbm__lock_init(dbm__lock *lock) { InitializeSRWLock(&lock->os); return true; }
DBM__FN void dbm__lock_free(dbm__lock *lock) { (void)lock; }
DBM__FN void dbm__lock_take(dbm__lock *lock) { AcquireSRWLockExclusive(&lock->os); }
DBM__FN void dbm__lock_give(dbm__lock *lock) { ReleaseSRWLockExclusive(&lock->os); }
DBM__FN bool dbm__signal_init(dbm__signal *signal) { InitializeConditionVariable(&signal->os); return true; }
DBM__FN void dbm__signal_free(dbm__signal *signal) { (void)signal; }
DBM__FN void dbm__signal_one(dbm__signal *signal) { WakeConditionVariable(&signal->os); }
DBM__FN void dbm__signal_all(dbm__signal *signal) { WakeAllConditionVariable(&signal->os); }
DBM__FN void dbm__yield(void) { (void)SwitchToThread(); }
#else
DBM__FN bool dbm__lock_init(dbm__lock *lock) { return pthread_mutex_init(&lock->os, NULL) == 0; }
DBM__FN void dbm__lock_free(dbm__lock *lock) { (void)pthread_mutex_destroy(&lock->os); }
DBM__FN void dbm__lock_take(dbm__lock *lock) {
    int rc = pthread_mutex_lock(&lock->os);
    DBM_ASSERT(rc == 0);
    (void)rc;
}
DBM__FN void dbm__lock_give(dbm__lock *lock) {
    int rc = pthread_mutex_unlock(&lock->os);
    DBM_ASSERT(rc == 0);
    (void)rc;
}
/* On the monotonic clock: setting the wall clock back must not make a checkout wait for an hour. */
DBM__FN bool dbm__signal_init(dbm__signal *signal) {
#if defined(__APPLE__)
    return pthread_cond_init(&signal->os, NULL) == 0;
#else
    pthread_condattr_t attributes;
    bool ok;
    if (pthread_condattr_init(&attributes) != 0) return false;
    ok = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&signal->os, &attributes) == 0;
    (void)pthread_condattr_destroy(&attributes);
    return ok;
#endif
}
DBM__FN void dbm__signal_free(dbm__signal *signal) { (void)pthread_cond_destroy(&signal->os); }
DBM__FN void dbm__signal_one(dbm__signal *signal) { (void)pthread_cond_signal(&signal->os); }
DBM__FN void dbm__signal_all(dbm__signal *signal) { (void)pthread_cond_broadcast(&signal->os); }
DBM__FN void dbm__yield(void) { (void)sched_yield(); }
#endif

/* Waits, and says whether the wait ended before its time: woken, or for no reason at all. */
static bool dbm__signal_woken(dbm__signal *signal, dbm__lock *lock, int64_t us) {
#if !DBM__THREADS
    (void)signal;
    (void)lock;
    dbm__sleep_us(us < DBM__SLICE_US ? us : DBM__SLICE_US); /* nobody is there to wake: time is all that can change */
    return true;
#elif DBM__OS_WINDOWS
    DWORD ms = INFINITE;
    if (us != INT64_MAX) {
        if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
        ms = us > 0 ? (DWORD)((us + 999) / 1000) : 0;
    }
    return SleepConditionVariableSRW(&signal->os, &lock->os, ms, 0) != 0;
#else
    struct timespec t;
    if (us == INT64_MAX) return pthread_cond_wait(&signal->os, &lock->os) == 0;
    if (us < 0) us = 0;
    if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
#  if defined(__APPLE__)
    t.tv_sec = (time_t)(us / 1000000);
    t.tv_nsec = (long)(us % 1000000) * 1000;
    return pthread_cond_timedwait_relative_np(&signal->os, &lock->os, &t) == 0;
#  else
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return true;
    t.tv_sec += (time_t)(us / 1000000);
    t.tv_nsec += (long)(us % 1000000) * 1000;
    if (t.tv_nsec >= 1000000000L) { t.tv_nsec -= 1000000000L; t.tv_sec++; }
    return pthread_cond_timedwait(&signal->os, &lock->os, &t) == 0;
#  endif
#endif
}

DBM__FN void dbm__signal_wait(dbm__signal *signal, dbm__lock *lock, int64_t us) { (void)dbm__signal_woken(signal, lock, us); }

/* ---- atomics where there are none -----------------------------------------------------------------------------------
 * One lock for all words. It is taken around a fork, or the child could inherit it taken by a thread that it does not have. */
#if defined(DBM__LOCKED_ATOMICS)
#  if DBM__OS_WINDOWS
static SRWLOCK dbm__atomic_lock = SRWLOCK_INIT;
static void dbm__atomic_take(void) { AcquireSRWLockExclusive(&dbm__atomic_lock); }
static void dbm__atomic_give(void) { ReleaseSRWLockExclusive(&dbm__atomic_lock); }
#  else
static pthread_mutex_t dbm__atomic_lock = PTHREAD_MUTEX_INITIALIZER;
static void dbm__atomic_take(void) { (void)pthread_mutex_lock(&dbm__atomic_lock); }
static void dbm__atomic_give(void) { (void)pthread_mutex_unlock(&dbm__atomic_lock); }
#  endif
DBM__FN dbm__word dbm__load(const dbm__word *p) { return dbm__add((dbm__word *)(uintptr_t)p, 0); }
DBM__FN dbm__word dbm__load_acquire(const dbm__word *p) { return dbm__load(p); }
DBM__FN dbm__word dbm__swap(dbm__word *p, dbm__word v) {
    dbm__word old;
    dbm__atomic_take();
    old = *p;
    *p = v;
    dbm__atomic_give();
    return old;
}
DBM__FN dbm__word dbm__load_ordered(const dbm__word *p) { return dbm__load(p); }
DBM__FN void dbm__store(dbm__word *p, dbm__word v) { (void)dbm__swap(p, v); }
DBM__FN void dbm__store_release(dbm__word *p, dbm__word v) { (void)dbm__swap(p, v); }
DBM__FN dbm__word dbm__add(dbm__word *p, dbm__word v) {
    dbm__word old;
    dbm__atomic_take();
    old = *p;
    *p = old + v;
    dbm__atomic_give();
    return old;
}
DBM__FN bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    bool same;
    dbm__atomic_take();
    same = *p == *expected;
    if (same) *p = desired;
    else *expected = *p;
    dbm__atomic_give();
    return same;
}
DBM__FN uint32_t dbm__load32(const uint32_t *p) {
    uint32_t v;
    dbm__atomic_take();
    v = *p;
    dbm__atomic_give();
    return v;
}
DBM__FN void dbm__store32(uint32_t *p, uint32_t v) {
    dbm__atomic_take();
    *p = v;
    dbm__atomic_give();
}
#endif

/* ---- the barrier of one side ----------------------------------------------------------------------------------------- */
#if DBM__MEMBARRIER
#  include <sys/syscall.h>
#endif
#if DBM__MEMBARRIER && defined(SYS_membarrier)
#  if !defined(_GNU_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(_BSD_SOURCE) && !defined(__cplusplus)
long syscall(long number, ...); /* it is there; the strict standard hides it */
#  endif
enum { DBM__BARRIER_PRIVATE = 8, DBM__BARRIER_REGISTER = 16 }; /* of Linux 4.14, by number: its header may be older */
DBM__FN bool dbm__fence_ready(void) { return syscall(SYS_membarrier, (int)DBM__BARRIER_REGISTER, 0, 0) == 0; }
DBM__FN bool dbm__fence_others(void) {
    return syscall(SYS_membarrier, (int)DBM__BARRIER_PRIVATE, 0, 0) == 0
        || (dbm__fence_ready() && syscall(SYS_membarrier, (int)DBM__BARRIER_PRIVATE, 0, 0) == 0); /* a child of a fork may have to say so again */
}
#else
DBM__FN bool dbm__fence_ready(void) { return false; }
DBM__FN bool dbm__fence_others(void) { return false; }
#endif

/* ---- forks ---------------------------------------------------------------------------------------------------------
 * Handlers are registered once per process image and inherited by children, so a counter in memory is all there is to it. */
#if DBM__THREADS && DBM__OS_POSIX
static dbm__word dbm__forks, dbm__forks_watched;
#  if defined(DBM__LOCKED_ATOMICS)
static void dbm__fork_in_child(void) {
    dbm__forks++;
    dbm__atomic_give();
}
#  else
static void dbm__fork_in_child(void) { (void)dbm__add(&dbm__forks, 1); }
#  endif
DBM__FN dbm__word dbm__fork_epoch(void) { return dbm__load(&dbm__forks); }
DBM__FN void dbm__fork_watch(void) {
    dbm__word no = 0;
    int rc;
    if (dbm__load(&dbm__forks_watched) || !dbm__cas(&dbm__forks_watched, &no, 1)) return;
#  if defined(DBM__LOCKED_ATOMICS)
    rc = pthread_atfork(dbm__atomic_take, dbm__atomic_give, dbm__fork_in_child);
#  else
    rc = pthread_atfork(NULL, NULL, dbm__fork_in_child);
#  endif
    if (rc != 0) dbm__store(&dbm__forks_watched, 0); /* no memory now: the next manager tries again */
}
#elif DBM__OS_POSIX
static dbm__word dbm__forks;
static pid_t dbm__process; /* whose epoch it is; 0: there is no manager yet */
DBM__FN dbm__word dbm__fork_epoch(void) { return dbm__forks; }
DBM__FN void dbm__fork_look(void) {
    pid_t now = getpid();
    if (now == dbm__process) return;
    if (dbm__process != 0) dbm__forks++;
    dbm__process = now;
}
DBM__FN void dbm__fork_watch(void) { dbm__fork_look(); }
#else
DBM__FN dbm__word dbm__fork_epoch(void) { return 0; }
DBM__FN void dbm__fork_watch(void) { }
#  if !DBM__THREADS
DBM__FN void dbm__fork_look(void) { }
#  endif
#endif

/* ---- threads --------------------------------------------------------------------------------------------------------- */
#if !DBM__THREADS
#  define DBM__THREAD_LOCAL
#elif defined(__GNUC__)
#  define DBM__THREAD_LOCAL __thread
#elif defined(_MSC_VER)
#  define DBM__THREAD_LOCAL __declspec(thread)
#elif defined(__cplusplus)
#  define DBM__THREAD_LOCAL thread_local
#else
#  define DBM__THREAD_LOCAL _Thread_local
#endif
static DBM__THREAD_LOCAL dbm__thread dbm__this_thread;

DBM__FN dbm__thread *dbm__self(void) { return &dbm__this_thread; }

DBM__FN dbm__word dbm__thread_number(void) {
    static dbm__word drawn;
    dbm__thread *self = dbm__self();
    if (!self->number) self->number = dbm__add(&drawn, 1) + 1;
    return self->number;
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */
#if defined(DBM_CLOCK_US)
#  define DBM__HAS_CLOCK 1
static int64_t dbm__system_us(void) { return (int64_t)DBM_CLOCK_US(); }
#elif DBM__OS_WINDOWS
#  define DBM__HAS_CLOCK 1
static int64_t dbm__system_us(void) {
    LARGE_INTEGER count, rate;
    QueryPerformanceFrequency(&rate);
    QueryPerformanceCounter(&count);
    /* in two parts: the product of an uptime of days and a million does not fit */
    return count.QuadPart / rate.QuadPart * 1000000 + count.QuadPart % rate.QuadPart * 1000000 / rate.QuadPart;
}
#elif DBM__OS_POSIX
#  define DBM__HAS_CLOCK 1
static int64_t dbm__system_us(void) {
    struct timespec t;
    return clock_gettime(CLOCK_MONOTONIC, &t) != 0 ? 0 : (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
#else
#  define DBM__HAS_CLOCK 0
static int64_t dbm__system_us(void) { return 0; }
#endif

DBM__FN void dbm__sleep_us(int64_t us) {
#if DBM__OS_WINDOWS
    if (us <= 0) return;
    if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
    Sleep((DWORD)((us + 999) / 1000));
#elif DBM__OS_POSIX
    struct timespec t;
    if (us <= 0) return;
    if (us > DBM__WAIT_MAX_US) us = DBM__WAIT_MAX_US;
    t.tv_sec = (time_t)(us / 1000000);
    t.tv_nsec = (long)(us % 1000000) * 1000;
    while (nanosleep(&t, &t) != 0 && errno == EINTR) { }
#elif DBM__HAS_CLOCK
    int64_t from = dbm__system_us();
    while (dbm__system_us() - from < us) { }
#else
    (void)us; /* no clock: a pause of unknown length is none */
#endif
}

DBM__FN int64_t dbm__now(dbm__host *host) { return host->clock ? host->clock(host->clock_ud) : dbm__system_us(); }

/* until - now, for until > now, whatever their signs. */
static int64_t dbm__left(int64_t now, int64_t until) {
    uint64_t left = (uint64_t)until - (uint64_t)now;
    return until == INT64_MAX || left > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)left;
}

DBM__FN void dbm__wait_until(dbm__host *host, dbm__signal *signal, dbm__lock *lock, int64_t until_us) {
    int64_t now;
    if (!host->clock) {
        now = until_us == INT64_MAX ? 0 : dbm__now(host);
        if (now < until_us) (void)dbm__signal_woken(signal, lock, dbm__left(now, until_us));
        return;
    }
    /* One slice, then back to the caller: a signal that comes between two slices is not seen by either, what it stands for is. */
    now = dbm__now(host);
    if (now < until_us) {
        int64_t left = dbm__left(now, until_us);
        (void)dbm__signal_woken(signal, lock, left < DBM__SLICE_US ? left : DBM__SLICE_US);
    }
}

DBM__FN void dbm__sleep_until(dbm__host *host, int64_t until_us) {
    int64_t now;
    if (!DBM__HAS_CLOCK && !host->clock) return; /* a clock that stands still is never late */
    for (now = dbm__now(host); now < until_us; now = dbm__now(host)) {
        int64_t left = dbm__left(now, until_us);
        dbm__sleep_us(host->clock && left > DBM__SLICE_US ? DBM__SLICE_US : left);
    }
}

DBM__FN int64_t dbm__deadline(dbm__host *host, int64_t ms) {
    int64_t now;
    if (ms < 0) return INT64_MAX;
    now = dbm__now(host);
    return ms > INT64_MAX / 1000 || (now > 0 && ms * 1000 > INT64_MAX - now) ? INT64_MAX : now + ms * 1000;
}

/* Each call takes the next number of a sequence, so that no two threads get the same, and scrambles it. The process id is
 * mixed in because workers forked from one parent would otherwise all jitter alike. */
DBM__FN uint32_t dbm__random(dbm__host *host) {
    uint64_t x = (uint64_t)dbm__add(&host->random, (dbm__word)0x9E3779B9u);
#if DBM__THREADS && DBM__OS_POSIX
    x ^= (uint64_t)getpid() << 32;
#endif
    x ^= x >> 30;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 27;
    x *= UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(x >> 32);
}

/* ---- the heap in the caller's block ------------------------------------------------------------------------------------
 *
 *   memory                                                                                    memory + size
 *   | dbm__heap | chunk: before size | payload ... | chunk: before size | next prev ... | end |
 *                                                                                        a used chunk of size 0
 * Chunks lie side by side. Each knows its own size and that of the one before it, so a freed chunk finds both neighbours and
 * two free chunks never touch. Free ones are listed by address and the first that fits is taken: that keeps the far end in
 * one piece, for the long-lived blocks that come late. Payloads are aligned to 16 bytes. One lock guards it all. */
typedef struct dbm__chunk {
    size_t before;                  /* bytes of the chunk before this one; 0: this is the first */
    size_t size;                    /* bytes of this one, header included, a multiple of 16; the lowest bit says that it is used */
    struct dbm__chunk *next, *prev; /* free chunks only: the neighbours in the list */
} dbm__chunk;

struct dbm__heap {
    dbm__lock lock;
    dbm__chunk *free_list;
    char *first, *end; /* the first chunk, and the end mark */
};

#define DBM__CHUNK_HEAD offsetof(dbm__chunk, next)
enum { DBM__HEAP_ALIGN = 16, DBM__CHUNK_MIN = (int)((sizeof(dbm__chunk) + 15u) & ~(size_t)15u), DBM__HEAP_MIN = 4096 };

static dbm__chunk *dbm__chunk_at(char *p) { return (dbm__chunk *)(void *)p; }
static size_t dbm__chunk_size(const dbm__chunk *c) { return c->size & ~(size_t)1; }
static dbm__chunk *dbm__chunk_next(dbm__chunk *c) { return dbm__chunk_at((char *)c + dbm__chunk_size(c)); }
static bool dbm__chunk_used(const dbm__chunk *c) { return (c->size & 1u) != 0; }

static dbm__heap *dbm__heap_make(void *memory, size_t size) {
    char *from = (char *)memory, *to = from + size;
    size_t skip = (size_t)(DBM__HEAP_ALIGN - (int)((uintptr_t)from % DBM__HEAP_ALIGN)) % DBM__HEAP_ALIGN;
    dbm__heap *heap = (dbm__heap *)(void *)(from + skip);
    dbm__chunk *c, *end;
    if (!dbm__lock_init(&heap->lock)) return NULL;
    from += skip + sizeof *heap + DBM__CHUNK_HEAD;
    from += (size_t)(DBM__HEAP_ALIGN - (int)((uintptr_t)from % DBM__HEAP_ALIGN)) % DBM__HEAP_ALIGN;
    from -= DBM__CHUNK_HEAD;
    size = (size_t)(to - from) - DBM__CHUNK_HEAD;
    size -= size % DBM__HEAP_ALIGN;
    heap->first = from;
    heap->end = from + size;
    c = heap->free_list = dbm__chunk_at(from);
    c->before = 0;
    c->size = size;
    c->next = c->prev = NULL;
    end = dbm__chunk_at(heap->end);
    end->before = size;
    end->size = 1;
    return heap;
}

/* Bytes of a chunk that holds `size` bytes; 0 when no chunk of this heap can. */
static size_t dbm__heap_need(const dbm__heap *heap, size_t size) {
    size_t whole = (size_t)(heap->end - heap->first);
    if (size > whole - DBM__CHUNK_HEAD) return 0;
    size = (size + DBM__CHUNK_HEAD + DBM__HEAP_ALIGN - 1) & ~(size_t)(DBM__HEAP_ALIGN - 1);
    return size < (size_t)DBM__CHUNK_MIN ? (size_t)DBM__CHUNK_MIN : size;
}

/* Puts `c` where `old` is in the list of free chunks. */
static void dbm__heap_replace(dbm__heap *heap, dbm__chunk *old, dbm__chunk *c) {
    dbm__chunk *next = old->next, *prev = old->prev; /* read first: the two may overlap */
    c->next = next;
    c->prev = prev;
    if (next) next->prev = c;
    if (prev) prev->next = c;
    else heap->free_list = c;
}

static void dbm__heap_unlink(dbm__heap *heap, dbm__chunk *c) {
    if (c->next) c->next->prev = c->prev;
    if (c->prev) c->prev->next = c->next;
    else heap->free_list = c->next;
}

/* Sets a chunk's size, and tells the chunk after it. */
static void dbm__heap_size(dbm__chunk *c, size_t size, size_t used) {
    c->size = size | used;
    dbm__chunk_next(c)->before = size;
}

/* Frees a chunk that is in use. */
static void dbm__heap_drop(dbm__heap *heap, dbm__chunk *c) {
    dbm__chunk *after = dbm__chunk_next(c), *before = c->before ? dbm__chunk_at((char *)c - c->before) : NULL, *at, *last;
    size_t size = dbm__chunk_size(c);
    c->size = size; /* no longer used, even when its header is lost inside of a larger chunk: a second free must see that */
    if (before && dbm__chunk_used(before)) before = NULL;
    if (dbm__chunk_used(after)) after = NULL;
    if (after) size += after->size;
    if (before) {
        if (after) dbm__heap_unlink(heap, after);
        size += before->size;
        c = before;
    } else if (after) {
        dbm__heap_replace(heap, after, c);
    } else {
        last = NULL;
        for (at = heap->free_list; at && (char *)at < (char *)c; at = at->next) last = at;
        c->next = at;
        c->prev = last;
        if (at) at->prev = c;
        if (last) last->next = c;
        else heap->free_list = c;
    }
    dbm__heap_size(c, size, 0);
}

/* Gives back what a used chunk has beyond `need`, when that is enough for a chunk. */
static void dbm__heap_trim(dbm__heap *heap, dbm__chunk *c, size_t need) {
    size_t size = dbm__chunk_size(c);
    dbm__chunk *rest;
    if (size - need < (size_t)DBM__CHUNK_MIN) return;
    dbm__heap_size(c, need, 1);
    rest = dbm__chunk_next(c);
    rest->before = need;
    dbm__heap_size(rest, size - need, 1);
    dbm__heap_drop(heap, rest);
}

/* The used chunk of a payload, or NULL for an address that is none: freed twice, or never ours. */
static dbm__chunk *dbm__heap_chunk(const dbm__heap *heap, void *block) {
    char *p = (char *)block;
    dbm__chunk *c;
    bool ok = p > heap->first && p < heap->end && (size_t)(p - heap->first) % DBM__HEAP_ALIGN == DBM__CHUNK_HEAD % DBM__HEAP_ALIGN;
    c = ok ? dbm__chunk_at(p - DBM__CHUNK_HEAD) : NULL;
    ok = c && dbm__chunk_used(c) && dbm__chunk_size(c) <= (size_t)(heap->end - (char *)c)
        && dbm__chunk_next(c)->before == dbm__chunk_size(c);
    DBM_ASSERT(ok);
    return ok ? c : NULL;
}

static void *dbm__heap_take(dbm__heap *heap, size_t size) {
    size_t need = dbm__heap_need(heap, size), rest;
    dbm__chunk *c = need ? heap->free_list : NULL, *left;
    while (c && c->size < need) c = c->next;
    if (!c) return NULL;
    rest = c->size - need;
    if (rest >= (size_t)DBM__CHUNK_MIN) {
        left = dbm__chunk_at((char *)c + need);
        dbm__heap_replace(heap, c, left);
        left->before = need;
        dbm__heap_size(left, rest, 0);
        c->size = need | 1u;
    } else {
        dbm__heap_unlink(heap, c);
        c->size |= 1u;
    }
    return (char *)c + DBM__CHUNK_HEAD;
}

static void *dbm__heap_alloc(dbm__heap *heap, size_t size) {
    void *block;
    dbm__lock_take(&heap->lock);
    block = dbm__heap_take(heap, size);
    dbm__lock_give(&heap->lock);
    return block;
}

static void dbm__heap_release(dbm__heap *heap, void *block) {
    dbm__chunk *c;
    dbm__lock_take(&heap->lock);
    c = dbm__heap_chunk(heap, block);
    if (c) dbm__heap_drop(heap, c);
    dbm__lock_give(&heap->lock);
}

static void *dbm__heap_resize(dbm__heap *heap, void *block, size_t size) {
    size_t need = dbm__heap_need(heap, size), now;
    void *out = NULL;
    dbm__chunk *c, *after;
    dbm__lock_take(&heap->lock);
    c = need ? dbm__heap_chunk(heap, block) : NULL;
    if (c) {
        now = dbm__chunk_size(c);
        after = dbm__chunk_next(c);
        if (need > now && !dbm__chunk_used(after) && after->size >= need - now) {
            dbm__heap_unlink(heap, after);
            now += after->size;
            dbm__heap_size(c, now, 1);
        }
        if (need <= now) {
            dbm__heap_trim(heap, c, need);
            out = block;
        } else {
            out = dbm__heap_take(heap, size);
            if (out) {
                memcpy(out, block, now - DBM__CHUNK_HEAD);
                dbm__heap_drop(heap, c);
            }
        }
    }
    dbm__lock_give(&heap->lock);
    return out;
}

/* ---- memory ---------------------------------------------------------------------------------------------------------- */
#if defined(DBM_MALLOC) || defined(DBM_REALLOC) || defined(DBM_FREE)
#  if !defined(DBM_MALLOC) || !defined(DBM_REALLOC) || !defined(DBM_FREE)
#    error "dbm: define all three of DBM_MALLOC(size), DBM_REALLOC(block, size) and DBM_FREE(block), or none of them"
#  endif
static void *dbm__default_alloc(void *ud, size_t size) { (void)ud; return DBM_MALLOC(size); }
static void *dbm__default_resize(void *ud, void *block, size_t size) { (void)ud; return DBM_REALLOC(block, size); }
static void dbm__default_release(void *ud, void *block) { (void)ud; DBM_FREE(block); }
#else
static void *dbm__default_alloc(void *ud, size_t size) { (void)ud; return malloc(size); }
static void *dbm__default_resize(void *ud, void *block, size_t size) { (void)ud; return realloc(block, size); }
static void dbm__default_release(void *ud, void *block) { (void)ud; free(block); }
#endif

DBM__FN dbm_status dbm__host_init(dbm__host *host, const dbm_options *options) {
    dbm_options defaults;
    const dbm_options *o = options ? options : &defaults;
    int hooks;
    memset(&defaults, 0, sizeof defaults);
    memset(host, 0, sizeof *host);
    hooks = (o->allocator.alloc ? 1 : 0) + (o->allocator.resize ? 1 : 0) + (o->allocator.release ? 1 : 0);
    if (hooks != 0 && hooks != 3) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "",
                         "dbm_options.allocator: alloc, resize and release are needed together; set all three or none");
    }
    if (hooks && o->memory) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "", "dbm_options: memory and allocator are both set; a manager lives in one of them");
    }
    if (o->memory_size && !o->memory) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "", "dbm_options.memory_size is %z, but memory is NULL", o->memory_size);
    }
    if (o->memory && o->memory_size < (size_t)DBM__HEAP_MIN) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, "", "",
                         "dbm_options.memory_size is %z bytes; a manager needs %d at least", o->memory_size, (int)DBM__HEAP_MIN);
    }
    host->allocator.alloc = dbm__default_alloc;
    host->allocator.resize = dbm__default_resize;
    host->allocator.release = dbm__default_release;
    if (hooks) host->allocator = o->allocator;
    if (o->memory) {
        host->heap = dbm__heap_make(o->memory, o->memory_size);
        if (!host->heap) return dbm__no_memory(DBM_STAGE_CONFIG, "", "");
    }
    host->log = o->log;
    host->log_ud = o->log_ud;
#if DBM__STDIO
    if (!host->log) host->log = dbm__log_to_stderr;
#endif
    host->event = o->event;
    host->event_ud = o->event_ud;
    host->clock = o->clock;
    host->clock_ud = o->clock_ud;
    host->random = (dbm__word)((uint64_t)dbm__now(host) * UINT64_C(0x9E3779B97F4A7C15)) ^ (dbm__word)(uintptr_t)host;
    return DBM_OK;
}

DBM__FN void dbm__host_free(dbm__host *host) {
    if (host->heap) dbm__lock_free(&host->heap->lock);
    host->heap = NULL;
}

/* No object is larger than half of the address space: pointer differences must fit. */
DBM__FN void *dbm__alloc(dbm__host *host, size_t size) {
    if (size > SIZE_MAX / 2) return NULL;
    if (!size) size = 1;
    return host->heap ? dbm__heap_alloc(host->heap, size) : host->allocator.alloc(host->allocator.ud, size);
}

DBM__FN void *dbm__alloc_zero(dbm__host *host, size_t size) {
    void *block = dbm__alloc(host, size);
    if (block) memset(block, 0, size);
    return block;
}

DBM__FN void *dbm__resize(dbm__host *host, void *block, size_t size) {
    if (!block) return dbm__alloc(host, size);
    if (size > SIZE_MAX / 2) return NULL;
    if (!size) size = 1;
    return host->heap ? dbm__heap_resize(host->heap, block, size) : host->allocator.resize(host->allocator.ud, block, size);
}

DBM__FN void dbm__free(dbm__host *host, void *block) {
    if (!block) return;
    if (host->heap) dbm__heap_release(host->heap, block);
    else host->allocator.release(host->allocator.ud, block);
}

DBM__FN char *dbm__copy_text(dbm__host *host, const char *text, size_t size) {
    char *copy;
    if (!text) size = 0;
    else if (size == SIZE_MAX) size = strlen(text);
    copy = size < SIZE_MAX / 2 ? (char *)dbm__alloc(host, size + 1) : NULL;
    if (!copy) return NULL;
    if (size) memcpy(copy, text, size);
    copy[size] = 0;
    return copy;
}

DBM__FN void dbm__wipe(void *p, size_t size) {
    volatile unsigned char *bytes = (volatile unsigned char *)p;
    while (size--) *bytes++ = 0;
}
