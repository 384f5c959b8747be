/* What every test begins with: dbm.h as one file, or its rooms as separate files, then cmocka and a few helpers.
 * One file:  the test holds the implementation (DBM_IMPLEMENTATION), so it reaches static functions too. So are tests built that define
 *            DBM_TEST_WHOLE, and all those that are built by hand.
 * Linked:    -DDBM_TEST_LINKED -DDBM__SPLIT_BUILD -I. -Isrc, linked with an object that is dbm.h as one file (-DDBM_IMPLEMENTATION
 *            -DDBM__SPLIT_BUILD); only DBM__FN functions are in reach. What it declares is read from dbm.h, its insides from src/.
 * Split:     -DDBM_TEST_SPLIT -DDBM__SPLIT_BUILD -Isrc, linked with the rooms' objects; only DBM__FN functions are in reach.
 * Helpers: test_heap (an allocator that fails where it is told to, and counts), test_dir (a directory that is removed again),
 * test_log (every log line in a buffer). All are static; a test uses what it needs. */
#ifndef DBM_TEST_H
#define DBM_TEST_H

/* dbm.h comes first: it asks the system headers for what it needs. */
#if defined(DBM_TEST_SPLIT) || defined(DBM_TEST_LINKED)
#  if !defined(DBM__SPLIT_BUILD)
#    define DBM__SPLIT_BUILD
#  endif
#  if defined(DBM_TEST_SPLIT)
#    include "api/api.h"
#  else
#    include "dbm.h"
#  endif
#  include "base/base.h"
#  include "net/net.h"
#  include "config/config.h"
#  include "adapter/adapter.h"
#  include "pool/pool.h"
#  include "sql/lexer.h"
#  include "sql/sql.h"
#  include "session/session.h"
#  include "data/data.h"
#  include "adapters/adapters.h"
#  include "manager/manager.h"
#  include "async/async.h"
#else
#  define DBM_IMPLEMENTATION
#  include "dbm.h"
#endif

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

/* Sanitizers keep what is freed, so memory of the process says nothing there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#  define SANITIZED 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#    define SANITIZED 1
#  endif
#endif
#if !defined(SANITIZED)
#  define SANITIZED 0
#endif

#define TEST_HELPER static __attribute__((__unused__))

/* Milliseconds that never go back, and so many of them spent. */
TEST_HELPER long test_now_ms(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
TEST_HELPER void test_pause_ms(long ms) {
    struct timespec t;
    t.tv_sec = ms / 1000;
    t.tv_nsec = ms % 1000 * 1000000;
    (void)nanosleep(&t, NULL);
}

/* ---- an allocator that fails on demand ---------------------------------------------------------------------------------
 * test_heap heap = {0};
 * options.allocator = test_heap_allocator(&heap);
 * test_heap_fail(&heap, 3);           the third allocation or growth from here on fails, once; 0: none
 * test_heap_fail_all(&heap, 3);       that one and all later ones fail
 * assert_int_equal(test_heap_live(&heap), 0);
 * Any thread may allocate. A block that is freed twice, or was not made here, ends the test at once. */
typedef struct test_heap {
    long calls;      /* allocations and growths so far */
    long fail_at;    /* the number of the call that fails; 0: none */
    long fail_all;   /* from this call on all fail; 0: none */
    long failed;     /* calls that were made to fail */
    long live;       /* blocks that were not freed */
    long live_bytes;
    long peak_bytes;
} test_heap;

typedef union test_block {
    struct { size_t size; unsigned magic; } is;
    long double align_real;
    long long align_integer;
    void *align_pointer;
} test_block;
#define TEST_BLOCK_LIVE 0x6c697665u
#define TEST_BLOCK_DEAD 0x64656164u

TEST_HELPER bool test_heap_may(test_heap *heap) {
    long call = __atomic_add_fetch(&heap->calls, 1, __ATOMIC_RELAXED);
    long at = __atomic_load_n(&heap->fail_at, __ATOMIC_RELAXED), all = __atomic_load_n(&heap->fail_all, __ATOMIC_RELAXED);
    if ((at != 0 && call == at) || (all != 0 && call >= all)) {
        __atomic_add_fetch(&heap->failed, 1, __ATOMIC_RELAXED);
        return false;
    }
    return true;
}

TEST_HELPER void test_heap_count(test_heap *heap, long blocks, long bytes) {
    __atomic_add_fetch(&heap->live, blocks, __ATOMIC_RELAXED);
    long now = __atomic_add_fetch(&heap->live_bytes, bytes, __ATOMIC_RELAXED);
    long peak = __atomic_load_n(&heap->peak_bytes, __ATOMIC_RELAXED);
    while (now > peak && !__atomic_compare_exchange_n(&heap->peak_bytes, &peak, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

TEST_HELPER test_block *test_heap_block(void *p) {
    test_block *block = (test_block *)p - 1;
    if (block->is.magic != TEST_BLOCK_LIVE) {
        fprintf(stderr, "test_heap: %s\n", block->is.magic == TEST_BLOCK_DEAD ? "a block is used after it was freed" : "not a block of this heap");
        abort();
    }
    return block;
}

TEST_HELPER void *test_heap_alloc(void *ud, size_t size) {
    test_heap *heap = (test_heap *)ud;
    if (!test_heap_may(heap)) return NULL;
    test_block *block = (test_block *)malloc(sizeof *block + size);
    if (block == NULL) return NULL;
    block->is.size = size;
    block->is.magic = TEST_BLOCK_LIVE;
    memset(block + 1, 0xA5, size); /* nobody may count on zeros */
    test_heap_count(heap, 1, (long)size);
    return block + 1;
}

TEST_HELPER void test_heap_release(void *ud, void *p) {
    test_heap *heap = (test_heap *)ud;
    if (p == NULL) return;
    test_block *block = test_heap_block(p);
    test_heap_count(heap, -1, -(long)block->is.size);
    memset(p, 0x5A, block->is.size);
    block->is.magic = TEST_BLOCK_DEAD;
    free(block);
}

TEST_HELPER void *test_heap_resize(void *ud, void *p, size_t size) {
    test_heap *heap = (test_heap *)ud;
    if (p == NULL) return test_heap_alloc(ud, size);
    test_block *old = test_heap_block(p);
    void *moved = test_heap_alloc(heap, size); /* it always moves, so that nobody keeps the old address */
    if (moved == NULL) return NULL;
    memcpy(moved, p, old->is.size < size ? old->is.size : size);
    test_heap_release(heap, p);
    return moved;
}

TEST_HELPER dbm_allocator test_heap_allocator(test_heap *heap) {
    dbm_allocator a;
    a.alloc = test_heap_alloc;
    a.resize = test_heap_resize;
    a.release = test_heap_release;
    a.ud = heap;
    return a;
}

TEST_HELPER void test_heap_fail(test_heap *heap, long n) {
    __atomic_store_n(&heap->fail_all, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->fail_at, n > 0 ? __atomic_load_n(&heap->calls, __ATOMIC_RELAXED) + n : 0, __ATOMIC_RELAXED);
}
TEST_HELPER void test_heap_fail_all(test_heap *heap, long n) {
    __atomic_store_n(&heap->fail_at, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->fail_all, n > 0 ? __atomic_load_n(&heap->calls, __ATOMIC_RELAXED) + n : 0, __ATOMIC_RELAXED);
}
TEST_HELPER long test_heap_live(test_heap *heap) { return __atomic_load_n(&heap->live, __ATOMIC_RELAXED); }

/* ---- a directory of the test's own ---------------------------------------------------------------------------------------
 * test_dir dir; test_dir_make(&dir);
 * dbm_add_database(mgr, DBM_CONFIG(.url = test_dir_url(&dir, "app.db")));
 * test_dir_remove(&dir);
 * Texts live until the fourth later call on the same test_dir. */
typedef struct test_dir { char path[256]; char texts[4][512]; unsigned next; } test_dir;

TEST_HELPER void test_dir_make(test_dir *dir) {
    const char *base = getenv("DBM_TEST_TMP");
    if (base == NULL || base[0] == '\0') base = getenv("TMPDIR");
    if (base == NULL || base[0] == '\0') base = "/tmp";
    dir->next = 0;
    int n = snprintf(dir->path, sizeof dir->path, "%s/dbm-test-XXXXXX", base);
    if (n < 0 || (size_t)n >= sizeof dir->path || mkdtemp(dir->path) == NULL) {
        perror("test_dir_make");
        abort();
    }
}

TEST_HELPER const char *test_dir_text(test_dir *dir, const char *before, const char *name) {
    char *text = dir->texts[dir->next++ % 4];
    const char *const parts[] = { before, dir->path, "/", name };
    size_t size = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        size_t n = strlen(parts[i]);
        if (size + n >= sizeof dir->texts[0]) abort();
        memcpy(text + size, parts[i], n);
        size += n;
    }
    text[size] = '\0';
    return text;
}
/* The path of a file in it, and the URL of an SQLite file in it. */
TEST_HELPER const char *test_dir_file(test_dir *dir, const char *name) { return test_dir_text(dir, "", name); }
TEST_HELPER const char *test_dir_url(test_dir *dir, const char *name) { return test_dir_text(dir, "sqlite:///", name); }

TEST_HELPER const char *test_dir_write(test_dir *dir, const char *name, const char *text) {
    const char *path = test_dir_file(dir, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(path);
        abort();
    }
    return path;
}

TEST_HELPER void test_remove_all(const char *path) { /* NOLINT(misc-no-recursion) */
    struct stat st;
    if (lstat(path, &st) != 0) return;
    if (S_ISDIR(st.st_mode)) {
        DIR *d = opendir(path);
        struct dirent *e;
        while (d != NULL && (e = readdir(d)) != NULL) {
            char inner[1024];
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
            int n = snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
            if (n > 0 && (size_t)n < sizeof inner) test_remove_all(inner);
        }
        if (d != NULL) closedir(d);
        (void)rmdir(path);
    } else {
        (void)unlink(path);
    }
}
TEST_HELPER void test_dir_remove(test_dir *dir) {
    test_remove_all(dir->path);
    dir->path[0] = '\0';
}

/* ---- every log line in a buffer -------------------------------------------------------------------------------------------
 * static test_log log;                 (about 64 KiB; not for the stack)
 * test_log_clear(&log);
 * options.log = test_log_hook; options.log_ud = &log;
 * assert_int_equal(test_log_count(&log, DBM_EVENT_LEAK), 1);
 * assert_non_null(strstr(test_log_text(&log), "file.c:12"));
 * A line is `level event database: text`, such as `2 7 default: ...`. What does not fit is counted, not kept. */
typedef struct test_log {
    pthread_mutex_t lock;
    int ready;
    char text[65536];
    size_t size;
    int lines, dropped, last_event;
    int levels[8];    /* lines by level */
    int events[128];  /* lines by event id */
} test_log;

TEST_HELPER void test_log_clear(test_log *log) {
    if (!log->ready) {
        (void)pthread_mutex_init(&log->lock, NULL);
        log->ready = 1;
    }
    (void)pthread_mutex_lock(&log->lock);
    log->text[0] = '\0';
    log->size = 0;
    log->lines = log->dropped = log->last_event = 0;
    memset(log->levels, 0, sizeof log->levels);
    memset(log->events, 0, sizeof log->events);
    (void)pthread_mutex_unlock(&log->lock);
}

TEST_HELPER void test_log_hook(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    test_log *log = (test_log *)ud;
    (void)pthread_mutex_lock(&log->lock);
    size_t room = sizeof log->text - log->size;
    int n = snprintf(log->text + log->size, room, "%d %d %s: %s\n", (int)level, event_id, database ? database : "(null)", text ? text : "(null)");
    if (n > 0 && (size_t)n < room) log->size += (size_t)n;
    else {
        log->text[log->size] = '\0';
        log->dropped++;
    }
    log->lines++;
    log->last_event = event_id;
    if ((int)level >= 0 && (int)level < 8) log->levels[level]++;
    if (event_id >= 0 && event_id < 128) log->events[event_id]++;
    (void)pthread_mutex_unlock(&log->lock);
}

TEST_HELPER int test_log_count(test_log *log, int event_id) {
    (void)pthread_mutex_lock(&log->lock);
    int n = event_id >= 0 && event_id < 128 ? log->events[event_id] : 0;
    (void)pthread_mutex_unlock(&log->lock);
    return n;
}
/* For a moment when no other thread logs. */
TEST_HELPER const char *test_log_text(test_log *log) { return log->text; }

#endif /* DBM_TEST_H */
