/* The ground that every room stands on: allocator, texts, atomics, locks, clock, errors, log. It has no state of its own but
 * the one thread-local struct and the fork counter.
 * May call: api/, the C library, the system's threads.
 * Must not know: databases, pools, sessions, drivers. */
#ifndef DBM__BASE_H
#define DBM__BASE_H
#include "../api/api.h"
#include <string.h>
#include <stdarg.h>
#include <limits.h>
#if DBM__STDIO
#  include <stdio.h>
#endif
#if !defined(DBM_MALLOC) || DBM__ENV
#  include <stdlib.h>
#endif
#if DBM__THREADS
#  if defined(_WIN32)
#    if !defined(WIN32_LEAN_AND_MEAN)
#      define WIN32_LEAN_AND_MEAN
#    endif
#    if !defined(NOMINMAX)
#      define NOMINMAX
#    endif
#    include <windows.h>
#  else
#    include <pthread.h>
#    include <errno.h>
#  endif
#endif
#if defined(_WIN32) && !DBM__THREADS
#  if !defined(WIN32_LEAN_AND_MEAN)
#    define WIN32_LEAN_AND_MEAN
#  endif
#  include <windows.h>
#elif defined(__unix__) || defined(__unix) || defined(__APPLE__) || defined(__HAIKU__)
#  include <time.h>
#  include <unistd.h>
#endif

/* Internal functions: static in dbm.h, extern when the rooms are built as separate files. */
#if defined(DBM__SPLIT_BUILD)
#  define DBM__FN extern
#else
#  define DBM__FN static DBM__UNUSED
#endif
#if defined(DBM_STATIC)
#  define DBM__DEF static DBM__UNUSED
#else
#  define DBM__DEF
#endif
#if !defined(DBM_ASSERT)
#  define DBM_ASSERT(condition) ((void)0)
#endif
#if defined(__GNUC__)
#  define DBM__LIKELY(x) __builtin_expect(!!(x), 1)
#  define DBM__UNLIKELY(x) __builtin_expect(!!(x), 0)
#  define DBM__NOINLINE __attribute__((__noinline__))
#  define DBM__HOT __attribute__((__hot__)) /* what runs for each statement, row and column: side by side, so that it shares no cache sets by chance */
#  define DBM__INLINE static inline __attribute__((__always_inline__))
#else
#  define DBM__LIKELY(x) (x)
#  define DBM__UNLIKELY(x) (x)
#  define DBM__NOINLINE
#  define DBM__HOT
#  define DBM__INLINE static inline
#endif

/* ---- atomics ------------------------------------------------------------------------------------------------------
 * One machine word is all that is used. Where there are no atomic instructions but threads, a lock stands in for them. */
typedef size_t dbm__word;
#if !DBM__THREADS
DBM__INLINE dbm__word dbm__load(const dbm__word *p) { return *p; }
DBM__INLINE dbm__word dbm__load_acquire(const dbm__word *p) { return *p; }
DBM__INLINE dbm__word dbm__load_ordered(const dbm__word *p) { return *p; }
DBM__INLINE void dbm__store(dbm__word *p, dbm__word v) { *p = v; }
DBM__INLINE void dbm__store_release(dbm__word *p, dbm__word v) { *p = v; }
DBM__INLINE dbm__word dbm__add(dbm__word *p, dbm__word v) { dbm__word old = *p; *p = old + v; return old; }
DBM__INLINE dbm__word dbm__swap(dbm__word *p, dbm__word v) { dbm__word old = *p; *p = v; return old; }
DBM__INLINE bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    if (*p != *expected) { *expected = *p; return false; }
    *p = desired;
    return true;
}
DBM__INLINE uint32_t dbm__load32(const uint32_t *p) { return *p; }
DBM__INLINE void dbm__store32(uint32_t *p, uint32_t v) { *p = v; }
#elif defined(__GNUC__) && !defined(DBM_NO_ATOMICS)
DBM__INLINE dbm__word dbm__load(const dbm__word *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
DBM__INLINE dbm__word dbm__load_acquire(const dbm__word *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
DBM__INLINE dbm__word dbm__load_ordered(const dbm__word *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); } /* after an add or swap of ours */
DBM__INLINE void dbm__store(dbm__word *p, dbm__word v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
DBM__INLINE void dbm__store_release(dbm__word *p, dbm__word v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
DBM__INLINE dbm__word dbm__add(dbm__word *p, dbm__word v) { return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST); }
DBM__INLINE dbm__word dbm__swap(dbm__word *p, dbm__word v) { return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
DBM__INLINE bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    return __atomic_compare_exchange_n(p, expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}
DBM__INLINE uint32_t dbm__load32(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
DBM__INLINE void dbm__store32(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
#elif defined(_MSC_VER) && !defined(DBM_NO_ATOMICS)
#  if defined(_WIN64)
#    define DBM__MSVC(op) op##64
typedef long long dbm__msvc;
#  else
#    define DBM__MSVC(op) op
typedef long dbm__msvc;
#  endif
DBM__INLINE dbm__word dbm__load(const dbm__word *p) { return *(const volatile dbm__word *)p; }
DBM__INLINE dbm__word dbm__load_acquire(const dbm__word *p) { dbm__word v = *(const volatile dbm__word *)p; MemoryBarrier(); return v; }
DBM__INLINE dbm__word dbm__load_ordered(const dbm__word *p) { dbm__word v; MemoryBarrier(); v = *(const volatile dbm__word *)p; MemoryBarrier(); return v; }
DBM__INLINE void dbm__store(dbm__word *p, dbm__word v) { *(volatile dbm__word *)p = v; }
DBM__INLINE void dbm__store_release(dbm__word *p, dbm__word v) { MemoryBarrier(); *(volatile dbm__word *)p = v; }
DBM__INLINE dbm__word dbm__add(dbm__word *p, dbm__word v) {
    return (dbm__word)DBM__MSVC(_InterlockedExchangeAdd)((volatile dbm__msvc *)p, (dbm__msvc)v);
}
DBM__INLINE dbm__word dbm__swap(dbm__word *p, dbm__word v) {
    return (dbm__word)DBM__MSVC(_InterlockedExchange)((volatile dbm__msvc *)p, (dbm__msvc)v);
}
DBM__INLINE bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired) {
    dbm__word old = (dbm__word)DBM__MSVC(_InterlockedCompareExchange)((volatile dbm__msvc *)p, (dbm__msvc)desired, (dbm__msvc)*expected);
    if (old == *expected) return true;
    *expected = old;
    return false;
}
DBM__INLINE uint32_t dbm__load32(const uint32_t *p) { return *(const volatile uint32_t *)p; }
DBM__INLINE void dbm__store32(uint32_t *p, uint32_t v) { *(volatile uint32_t *)p = v; }
#else
DBM__FN dbm__word dbm__load(const dbm__word *p);
DBM__FN dbm__word dbm__load_acquire(const dbm__word *p);
DBM__FN dbm__word dbm__load_ordered(const dbm__word *p);
DBM__FN void dbm__store(dbm__word *p, dbm__word v);
DBM__FN void dbm__store_release(dbm__word *p, dbm__word v);
DBM__FN dbm__word dbm__add(dbm__word *p, dbm__word v);
DBM__FN dbm__word dbm__swap(dbm__word *p, dbm__word v);
DBM__FN bool dbm__cas(dbm__word *p, dbm__word *expected, dbm__word desired);
DBM__FN uint32_t dbm__load32(const uint32_t *p);
DBM__FN void dbm__store32(uint32_t *p, uint32_t v);
#  define DBM__LOCKED_ATOMICS 1
#endif
/* A barrier that costs its one side nothing: what a thread stores and then loads, with dbm__fence_light() between, and what another one stores and then loads,
 * with dbm__fence_others() between, can't both miss the other's store. Linux has that; elsewhere dbm__fence_ready() is false, and the first one
 * swaps and loads in order. dbm__fence_others() is false when it is refused all of a sudden. */
#if DBM__THREADS && defined(__linux__) && defined(__GNUC__) && !defined(DBM_NO_ATOMICS) && !defined(DBM_NO_MEMBARRIER)
#  define DBM__MEMBARRIER 1
DBM__INLINE void dbm__fence_light(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
#else
#  define DBM__MEMBARRIER 0
DBM__INLINE void dbm__fence_light(void) { }
#endif
DBM__FN bool dbm__fence_ready(void);
DBM__FN bool dbm__fence_others(void);

/* ---- locks and threads --------------------------------------------------------------------------------------------- */
#if !DBM__THREADS
typedef struct dbm__lock { char none; } dbm__lock;
typedef struct dbm__signal { char none; } dbm__signal;
#elif defined(_WIN32)
typedef struct dbm__lock { SRWLOCK os; } dbm__lock;
typedef struct dbm__signal { CONDITION_VARIABLE os; } dbm__signal;
#else
typedef struct dbm__lock { pthread_mutex_t os; } dbm__lock;
typedef struct dbm__signal { pthread_cond_t os; } dbm__signal;
#endif
DBM__FN bool dbm__lock_init(dbm__lock *lock);
DBM__FN void dbm__lock_free(dbm__lock *lock);
DBM__FN void dbm__lock_take(dbm__lock *lock);
DBM__FN void dbm__lock_give(dbm__lock *lock);
DBM__FN bool dbm__signal_init(dbm__signal *signal);
DBM__FN void dbm__signal_free(dbm__signal *signal);
DBM__FN void dbm__signal_one(dbm__signal *signal);
DBM__FN void dbm__signal_all(dbm__signal *signal);
/* Waits with the lock held, for `us` microseconds of real time at most (INT64_MAX: without limit). Wakes early at will. */
DBM__FN void dbm__signal_wait(dbm__signal *signal, dbm__lock *lock, int64_t us);
DBM__FN void dbm__sleep_us(int64_t us);
DBM__FN void dbm__yield(void); /* the processor to another thread that can run */
/* How often this process image has come out of a fork() as the child. Compared, to know inherited connections. */
DBM__FN dbm__word dbm__fork_epoch(void);
/* Watches for forks from now on; called once per manager, cheap when repeated. */
DBM__FN void dbm__fork_watch(void);
/* Before the epoch is compared at a checkout, a call on a session or a row: without threads nobody tells of a fork, and getpid() is asked. */
#if DBM__THREADS
DBM__INLINE void dbm__fork_look(void) { }
#else
DBM__FN void dbm__fork_look(void);
#endif

/* ---- what the program gave: memory, clock, hooks ---------------------------------------------------------------------
 * One per manager, reached by each of its databases. */
typedef struct dbm__heap dbm__heap; /* first-fit allocator in the caller's block */
typedef struct dbm__host {
    dbm_allocator allocator;
    dbm__heap *heap;
    void (*log)(void *ud, dbm_log_level level, int event_id, const char *database, const char *text);
    void *log_ud;
    void (*event)(void *ud, const dbm_event *event);
    void *event_ud;
    int64_t (*clock)(void *ud);
    void *clock_ud;
    dbm__word random; /* state of dbm__random */
} dbm__host;
DBM__FN dbm_status dbm__host_init(dbm__host *host, const dbm_options *options);
DBM__FN void dbm__host_free(dbm__host *host);
/* NULL when there is no memory; the caller reports with dbm__no_memory(). A size of 0 gives a block too. */
DBM__FN void *dbm__alloc(dbm__host *host, size_t size);
DBM__FN void *dbm__alloc_zero(dbm__host *host, size_t size);
DBM__FN void *dbm__resize(dbm__host *host, void *block, size_t size);
DBM__FN void dbm__free(dbm__host *host, void *block);
/* `size` bytes of a text (SIZE_MAX: up to its NUL; NULL: ""), and a NUL. */
DBM__FN char *dbm__copy_text(dbm__host *host, const char *text, size_t size);
/* Overwrites, in a way that the compiler keeps. */
DBM__FN void dbm__wipe(void *p, size_t size);
/* Monotonic microseconds. */
DBM__FN int64_t dbm__now(dbm__host *host);
/* Waits until `until_us` on the host's clock or until woken; with a clock of the program's it looks every millisecond. */
DBM__FN void dbm__wait_until(dbm__host *host, dbm__signal *signal, dbm__lock *lock, int64_t until_us);
DBM__FN void dbm__sleep_until(dbm__host *host, int64_t until_us);
/* now + ms, saturated; ms < 0 gives INT64_MAX. */
DBM__FN int64_t dbm__deadline(dbm__host *host, int64_t ms);
/* 32 random bits, not for secrets: jitter. */
DBM__FN uint32_t dbm__random(dbm__host *host);

/* ---- texts ---------------------------------------------------------------------------------------------------------
 * Formats: %s text (NULL: "(null)"), %d int, %l int64_t, %u uint64_t, %z size_t, %c char, %q text in 'single quotes', %m microseconds in
 * words ("1.5 s"), %% percent. No other; nothing of the C library's printf is used. */
typedef struct dbm__text { char *data; size_t size, capacity; bool cut; } dbm__text;
/* A text that grows in a fixed block; it is always NUL-terminated, and `cut` says that not all fitted. Once cut, it stays as
 * it is: nothing is put after a gap. */
DBM__FN dbm__text dbm__text_in(char *block, size_t capacity);
DBM__FN void dbm__put(dbm__text *t, const char *text);
DBM__FN void dbm__put_n(dbm__text *t, const char *text, size_t size);
DBM__FN void dbm__put_int(dbm__text *t, int64_t v);
DBM__FN void dbm__putf(dbm__text *t, const char *format, ...);
DBM__FN void dbm__putv(dbm__text *t, const char *format, va_list ap);
DBM__FN void dbm__format(char *block, size_t capacity, const char *format, ...);
/* For texts that people read (dbm__format does it): when not all fitted, the text ends in "...". Where it is cut, no UTF-8
 * sequence is left half. */
DBM__FN void dbm__text_end(dbm__text *t);
/* In a variadic function: what it was given behind `format`, in `block`, cut in that way. */
#define DBM__FORMAT(block, capacity, format) \
    do { \
        dbm__text text_ = dbm__text_in(block, capacity); \
        va_list ap_; \
        va_start(ap_, format); \
        dbm__putv(&text_, format, ap_); \
        va_end(ap_); \
        dbm__text_end(&text_); \
    } while (0)
/* A copy of text (NULL: ""), cut in that way. */
DBM__FN void dbm__copy_cut(char *block, size_t capacity, const char *text);
/* A byte of a URL into `code`: itself where it is a letter, a digit or in `plain`, else its percent encoding. Returns its size. */
DBM__FN size_t dbm__percent(char c, const char *plain, char code[3]);
DBM__FN int dbm__hex(char c); /* -1: not a digit */
/* The next host of a list such as "a:1,[::1]:2", which is not NULL: its name, decoded and without brackets, and its port, if it has one. *list goes
 * behind it, to NULL at the end. False: the name was cut to fit. */
DBM__FN bool dbm__host_next(const char **list, char *host, size_t size, int *port);
/* Compares without case, ASCII only. */
DBM__FN bool dbm__same_word(const char *a, const char *b);
DBM__FN bool dbm__same_word_n(const char *a, size_t an, const char *b);
/* The one of `count` names nearest to `word`, or NULL: without case, up to a third of its letters (one at least) put in, left
 * out, changed or swapped; of equals the first. Words of more than 64 bytes have no nearest. */
DBM__FN const char *dbm__nearest(const char *word, const char *const *names, size_t count);
/* The next item of a comma-separated list, without the blanks around it, and its size; NULL: there is none. *list goes behind it. */
DBM__FN const char *dbm__list_next(const char **list, size_t *size);
/* Whether such a list contains a word, letter for letter. */
DBM__FN bool dbm__list_has(const char *list, const char *word, size_t size);

/* ---- errors --------------------------------------------------------------------------------------------------------
 * The one thread-local struct. `open` is the list of block sessions of this thread, newest first, kept by session/. */
typedef struct dbm__thread {
    dbm_error_info last;    /* dbm_last_error() */
    dbm_error_info failed;  /* of the last block session that ended, while has_failed */
    bool has_failed;
    void *open;             /* newest open block session, a dbm__slot */
    void *driving;          /* an adapter's: what it has called its driver for, which calls back */
    void *loops;            /* newest open DBM_EACH on a database, which owns its connection: a dbm_rows of session/ */
    uint32_t loops_made;    /* how many of those there have been */
    dbm__word number;       /* this thread's, from 1; 0: not drawn yet */
    unsigned slot;          /* which one of a pool it had last, to be tried first in any */
    dbm__word fork;         /* dbm__fork_epoch() when `open` was last looked at: in a child the parent's blocks are forgotten */
    void *loop;             /* the dbm_loop whose turn it is, or NULL; async/ */
    void (*waits)(void *ud, bool waits); /* of a worker: told before and after it waits at a gate, with waits_ud; else NULL */
    void *waits_ud;
    dbm__word served;       /* of a worker: the number of the thread whose loop's call it runs */
    bool impatient, turned_away; /* at a contended gate it does not wait: see gate.c */
} dbm__thread;
DBM__FN dbm__thread *dbm__self(void);
DBM__FN dbm__word dbm__thread_number(void);
/* Sets this thread's last error and returns status. */
DBM__FN dbm_status dbm__fail(dbm_status status, dbm_stage stage, const char *database, const char *site, const char *format, ...);
DBM__FN dbm_status dbm__no_memory(dbm_stage stage, const char *database, const char *site);
/* Makes a failure from another place this thread's last one; returns its status. */
DBM__FN dbm_status dbm__fail_again(const dbm_error_info *error);
/* For a NULL handle: the status of this thread's last failure, of which that comes in most cases, or E_MISUSE with `what`: which call, what is NULL, and where one comes from. */
DBM__FN dbm_status dbm__fail_null(const char *what, const char *site);

/* ---- log and events ------------------------------------------------------------------------------------------------ */
DBM__FN void dbm__event(dbm__host *host, dbm_event_id id, dbm_log_level level, const char *database, const char *site,
                        dbm_status status, int64_t duration_us, const char *format, ...);
#if DBM__STDIO
/* The log hook of a program that set none: "dbm: warning: default: text" to stderr, warnings and errors only. */
DBM__FN void dbm__log_to_stderr(void *ud, dbm_log_level level, int event_id, const char *database, const char *text);
#endif
/* Whether anybody would see an event of this level: asked before a text is made. */
DBM__FN bool dbm__event_wanted(const dbm__host *host, dbm_log_level level);
#endif /* DBM__BASE_H */
