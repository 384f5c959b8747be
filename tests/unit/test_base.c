/* base/ and net/: texts, words, errors, events, memory, time, threads, forks, sockets. */
#include "dbm_test.h"

#if DBM__THREADS && !defined(_WIN32)
#  define HAS_PTHREADS 1
#  include <pthread.h>
#else
#  define HAS_PTHREADS 0
#endif
#if !defined(_WIN32)
#  include <fcntl.h>
#  include <signal.h>
#  include <sys/socket.h>
#  include <sys/types.h>
#  include <sys/wait.h>
#  include <unistd.h>
#endif

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static void put_all(dbm__text *t) {
    dbm__putf(t, "%s|%s|%d|%d|%l|%l|%u|%z|%c|%q|%q|%%|%m|end", "a text", (const char *)NULL, INT_MAX, INT_MIN, INT64_MAX, INT64_MIN,
              UINT64_MAX, (size_t)12345, 'x', "it", (const char *)NULL, (int64_t)1500000);
}

static const char all_of_them[] = "a text|(null)|2147483647|-2147483648|9223372036854775807|-9223372036854775808|"
                                  "18446744073709551615|12345|x|'it'|(null)|%|1.5 s|end";

static void test_formats(void **state) {
    char block[256];
    dbm__text t = dbm__text_in(block, sizeof block);
    (void)state;
    assert_string_equal(block, "");
    put_all(&t);
    assert_string_equal(block, all_of_them);
    assert_int_equal(t.size, strlen(all_of_them));
    assert_false(t.cut);
    dbm__put_int(&t, 0);
    dbm__put(&t, NULL);
    dbm__put_n(&t, "abc", 2);
    assert_string_equal(block + strlen(all_of_them), "0(null)ab");
    dbm__format(block, sizeof block, "100%% of %d, a lone %", 7);
    assert_string_equal(block, "100% of 7, a lone ");
    dbm__format(block, sizeof block, "%s", "");
    assert_string_equal(block, "");
}

/* Every capacity: what fits is the beginning of the whole, it is terminated, no byte beyond is touched. */
static void test_truncation(void **state) {
    size_t whole = strlen(all_of_them), capacity;
    (void)state;
    for (capacity = 0; capacity <= whole + 2; capacity++) {
        char block[256];
        dbm__text t;
        memset(block, 0x55, sizeof block);
        t = dbm__text_in(block, capacity);
        put_all(&t);
        assert_int_equal(block[capacity], 0x55);
        assert_int_equal(t.cut, capacity < whole + 1);
        if (!capacity) continue;
        assert_int_equal(t.size, capacity < whole + 1 ? capacity - 1 : whole);
        assert_int_equal(strlen(block), t.size);
        assert_memory_equal(block, all_of_them, t.size);
        dbm__put(&t, "more");
        assert_int_equal(t.cut, capacity < whole + 1 + 4);
        assert_int_equal(block[capacity], 0x55);
    }
    for (capacity = 0; capacity <= whole + 2; capacity++) {
        char block[256];
        memset(block, 0x55, sizeof block);
        dbm__format(block, capacity, "%s", all_of_them);
        assert_int_equal(block[capacity], 0x55);
        if (!capacity) continue;
        if (capacity > whole) assert_string_equal(block, all_of_them);
        else if (capacity < 4) assert_memory_equal(block, all_of_them, capacity - 1);
        else {
            assert_int_equal(strlen(block), capacity - 1);
            assert_string_equal(block + capacity - 4, "...");
            assert_memory_equal(block, all_of_them, capacity - 4);
        }
    }
}

/* A cut text stays cut: what would still fit is not put after the gap. */
static void test_no_gap(void **state) {
    char block[8];
    dbm__text t = dbm__text_in(block, sizeof block);
    (void)state;
    dbm__put(&t, "abc");
    dbm__put(&t, "defghi\xC3\xA9");
    assert_string_equal(block, "abcdefg");
    dbm__put(&t, "");
    t = dbm__text_in(block, sizeof block);
    dbm__put(&t, "abcdef");
    dbm__put(&t, "\xC3\xA9");
    assert_string_equal(block, "abcdef");
    dbm__put(&t, "x");
    assert_string_equal(block, "abcdef");
    t = dbm__text_in(block, sizeof block); /* a sequence that comes byte by byte */
    dbm__put(&t, "abcdef");
    dbm__put(&t, "\xC3");
    dbm__put(&t, "\xA9");
    assert_string_equal(block, "abcdef");
}

static bool is_utf8(const char *s) {
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        int more = *p < 0x80 ? 0 : *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : -1;
        if (more < 0) return false;
        for (p++; more; more--, p++) {
            if ((*p & 0xC0) != 0x80) return false;
        }
    }
    return true;
}

static void test_utf8_cuts(void **state) {
    static const char mixed[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z\xF0\x9F\x98\x80\xE2\x82\xAC\xC3\xA9 end of it";
    static const char latin1[] = "\xA9\xA9\xA9\xA9\xA9\xA9\xA9\xA9\xA9\xA9\xA9\xA9";
    size_t capacity;
    (void)state;
    for (capacity = 0; capacity <= sizeof mixed; capacity++) {
        char block[64];
        memset(block, 0x55, sizeof block);
        dbm__copy_cut(block, capacity, mixed);
        assert_int_equal(block[capacity], 0x55);
        if (!capacity) continue;
        assert_true(is_utf8(block));
        if (capacity >= sizeof mixed) {
            assert_string_equal(block, mixed);
        } else if (capacity >= 4) {
            size_t size = strlen(block);
            assert_true(size <= capacity - 1 && size + 3 >= capacity - 1);
            assert_string_equal(block + size - 3, "...");
            assert_memory_equal(block, mixed, size - 3);
        }
    }
    for (capacity = 1; capacity < sizeof latin1; capacity++) { /* not UTF-8: cut anywhere, but neither lost nor read past */
        char block[64];
        dbm__copy_cut(block, capacity, latin1);
        assert_int_equal(strlen(block), capacity - 1);
    }
    {
        char block[4];
        dbm__copy_cut(block, sizeof block, NULL);
        assert_string_equal(block, "");
    }
}

static void test_durations(void **state) {
    static const struct { int64_t us; const char *text; } cases[] = {
        { 0, "0 us" }, { 350, "350 us" }, { 999, "999 us" }, { 1000, "1 ms" }, { 1500, "1.5 ms" }, { 12000, "12 ms" }, { 12900, "12 ms" },
        { 999999, "999 ms" }, { 1000000, "1 s" }, { 1500000, "1.5 s" }, { 1999999, "1.9 s" }, { 30400000, "30 s" }, { 59999999, "59 s" },
        { 60000000, "1 min" }, { 125000000, "2 min 5 s" }, { 3599999999, "59 min 59 s" }, { 3600000000, "1 h" },
        { 5400000000, "1 h 30 min" }, { 86400000000, "1 d" }, { 100000000000, "1 d 3 h" }, { -350, "-350 us" },
        { INT64_MAX, "106751991 d 4 h" }, { INT64_MIN, "-106751991 d 4 h" }
    };
    char block[64];
    size_t i;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dbm__format(block, sizeof block, "%m", cases[i].us);
        assert_string_equal(block, cases[i].text);
    }
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void test_same_word(void **state) {
    (void)state;
    assert_true(dbm__same_word("Read Committed", "READ committed"));
    assert_true(dbm__same_word("", ""));
    assert_false(dbm__same_word("a", "ab"));
    assert_false(dbm__same_word("ab", "a"));
    assert_false(dbm__same_word(NULL, "a"));
    assert_false(dbm__same_word("a", NULL));
    assert_true(dbm__same_word_n("sqlite://", 6, "SQLite"));
    assert_false(dbm__same_word_n("sqlite://", 7, "SQLite"));
    assert_false(dbm__same_word_n("sqlite://", 5, "SQLite"));
    assert_false(dbm__same_word("\xC3\x89", "\xC3\xA9")); /* ASCII only */
}

static void test_list_has(void **state) {
    (void)state;
    assert_true(dbm__list_has("neo4j,bolt", "neo4j", 5));
    assert_true(dbm__list_has("neo4j,bolt", "bolt://", 4));
    assert_true(dbm__list_has(" a , b ,c", "b", 1));
    assert_true(dbm__list_has("a,,b,", "b", 1));
    assert_false(dbm__list_has("neo4j,bolt", "neo", 3));
    assert_false(dbm__list_has("neo4j,bolt", "j,b", 3));
    assert_false(dbm__list_has("neo4j,bolt", "Bolt", 4));
    assert_false(dbm__list_has("a,,b", "", 0));
    assert_false(dbm__list_has(NULL, "a", 1));
    assert_false(dbm__list_has("a", NULL, 1));
    assert_false(dbm__list_has("", "a", 1));
}

static void test_nearest(void **state) {
    static const char *const keys[] = { "pool_size", "max_overflow", "pool_timeout", "pool_recycle", "echo", "url", "type", NULL };
    static const char *const twins[] = { "abcx", "abcy" };
    char longest[66];
    const char *names[1];
    size_t n = sizeof keys / sizeof keys[0];
    (void)state;
    assert_string_equal(dbm__nearest("poolsize", keys, n), "pool_size");     /* left out */
    assert_string_equal(dbm__nearest("pool_ssize", keys, n), "pool_size");   /* put in */
    assert_string_equal(dbm__nearest("pool_sise", keys, n), "pool_size");    /* changed */
    assert_string_equal(dbm__nearest("ehco", keys, n), "echo");              /* swapped: one step */
    assert_string_equal(dbm__nearest("POOL_TIMEOUT", keys, n), "pool_timeout");
    assert_string_equal(dbm__nearest("ur", keys, n), "url");
    assert_string_equal(dbm__nearest("maxoverflwo", keys, n), "max_overflow");
    assert_string_equal(dbm__nearest("abcz", twins, 2), "abcx");
    assert_string_equal(dbm__nearest("abcy", twins, 2), "abcy");
    assert_null(dbm__nearest("password", keys, n));
    assert_null(dbm__nearest("xyz", keys, n));
    assert_null(dbm__nearest("", keys, n));
    assert_null(dbm__nearest(NULL, keys, n));
    assert_null(dbm__nearest("x", keys, n));
    assert_null(dbm__nearest("url", keys, 0));
    memset(longest, 'a', sizeof longest);
    longest[65] = 0;
    names[0] = longest;
    assert_null(dbm__nearest(longest, names, 1));
    longest[64] = 0;
    assert_ptr_equal(dbm__nearest(longest, names, 1), longest);
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

static void test_statuses(void **state) {
    (void)state;
    assert_string_equal(dbm_status_name(DBM_OK), "DBM_OK");
    assert_string_equal(dbm_status_name(DBM_E_POOL_TIMEOUT), "DBM_E_POOL_TIMEOUT");
    assert_string_equal(dbm_status_text(DBM_E_NOMEM), "out of memory");
    assert_string_equal(dbm_status_name((dbm_status)DBM__STATUS_END), "?");
    assert_string_equal(dbm_status_name((dbm_status)-1), "?");
    assert_string_equal(dbm_status_text((dbm_status)-1), "?");
}

static void test_fail(void **state) {
    const dbm_error_info *e = dbm_last_error();
    dbm_error_info copy;
    char longest[2000];
    (void)state;
    assert_non_null(e);
    assert_int_equal(dbm__fail(DBM_E_SQL, DBM_STAGE_STATEMENT, "default", "a.c:1", "no table %q", "users"), DBM_E_SQL);
    assert_int_equal(e->status, DBM_E_SQL);
    assert_int_equal(e->stage, DBM_STAGE_STATEMENT);
    assert_string_equal(e->database, "default");
    assert_string_equal(e->site, "a.c:1");
    assert_string_equal(e->message, "no table 'users'");
    assert_false(e->retryable);
    dbm__self()->last.native_code = 7; /* as an adapter's failure fills it in */
    dbm__self()->last.constraint = DBM_CONSTRAINT_UNIQUE;
    memcpy(dbm__self()->last.sqlstate, "23505", 6);
    copy = *e;
    dbm__fail(DBM_E_LOST, DBM_STAGE_COMMIT, e->database, e->site, "after: %s", e->message); /* from the error that it replaces */
    assert_string_equal(e->message, "after: no table 'users'");
    assert_string_equal(e->database, "default");
    assert_int_equal(e->native_code, 0);
    assert_int_equal(e->constraint, DBM_CONSTRAINT_NONE);
    assert_string_equal(e->sqlstate, "");
    assert_int_equal(dbm__fail_again(&copy), DBM_E_SQL);
    assert_string_equal(e->message, "no table 'users'");
    assert_string_equal(e->sqlstate, "23505");
    assert_int_equal(dbm__fail_again(e), DBM_E_SQL);
    assert_int_equal(dbm__fail_null("dbm_exec: no session", "c.c:3"), DBM_E_SQL);
    dbm__fail(DBM_E_SERIALIZATION, DBM_STAGE_COMMIT, NULL, NULL, NULL);
    assert_string_equal(e->message, dbm_status_text(DBM_E_SERIALIZATION));
    assert_string_equal(e->database, "");
    assert_true(e->retryable);
    dbm__fail(DBM_E_SQL, DBM_STAGE_STATEMENT, "", "", "%s", "");
    assert_string_equal(e->message, dbm_status_text(DBM_E_SQL));
    assert_int_equal(dbm__no_memory(DBM_STAGE_ROW, "default", "b.c:2"), DBM_E_NOMEM);
    assert_string_equal(e->message, "out of memory");
    assert_string_equal(e->site, "b.c:2");
    memset(longest, 'y', sizeof longest);
    longest[sizeof longest - 1] = 0;
    dbm__fail(DBM_E_SQL, DBM_STAGE_STATEMENT, longest, longest, "%s", longest);
    assert_int_equal(strlen(e->message), sizeof e->message - 1);
    assert_int_equal(strlen(e->database), sizeof e->database - 1);
    assert_int_equal(strlen(e->site), sizeof e->site - 1);
    assert_string_equal(e->message + sizeof e->message - 4, "...");
    memset(&dbm__self()->last, 0, sizeof dbm__self()->last);
    assert_int_equal(dbm__fail_null("dbm_exec: no session", "c.c:3"), DBM_E_MISUSE);
    assert_string_equal(e->message, "dbm_exec: no session");
    assert_string_equal(e->site, "c.c:3");
}

/* ---- events -------------------------------------------------------------------------------------------------------- */

typedef struct seen {
    int logs, events, log_id;
    dbm_log_level level;
    char database[64], text[1300];
    dbm_event event;
} seen;

static void see_log(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    seen *s = (seen *)ud;
    s->logs++;
    s->log_id = event_id;
    s->level = level;
    dbm__copy_cut(s->database, sizeof s->database, database);
    dbm__copy_cut(s->text, sizeof s->text, text);
}

static void see_event(void *ud, const dbm_event *event) {
    seen *s = (seen *)ud;
    s->events++;
    s->event = *event;
    dbm__copy_cut(s->text, sizeof s->text, event->text);
}

static void test_events(void **state) {
    dbm_options options;
    dbm__host host;
    seen s;
    char longest[2000];
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&s, 0, sizeof s);
    assert_int_equal(dbm__host_init(&host, NULL), DBM_OK);
    assert_false(dbm__event_wanted(&host, DBM_LOG_INFO));
    assert_int_equal(dbm__event_wanted(&host, DBM_LOG_WARNING), DBM__STDIO);
    dbm__event(&host, DBM_EVENT_CONNECTED, DBM_LOG_DEBUG, NULL, NULL, DBM_OK, 0, NULL); /* nobody sees it */
    dbm__host_free(&host);

    options.log = see_log;
    options.log_ud = &s;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    assert_true(dbm__event_wanted(&host, DBM_LOG_DEBUG));
    dbm__event(&host, DBM_EVENT_LEAK, DBM_LOG_WARNING, "default", "a.c:1", DBM_OK, 5, "out since %m", (int64_t)5000000);
    assert_int_equal(s.logs, 1);
    assert_int_equal(s.log_id, DBM_EVENT_LEAK);
    assert_int_equal(s.level, DBM_LOG_WARNING);
    assert_string_equal(s.database, "default");
    assert_string_equal(s.text, DBM__LOG_TEXT ? "out since 5 s" : "");
    dbm__event(&host, DBM_EVENT_CONNECTED, DBM_LOG_INFO, NULL, NULL, DBM_OK, 0, NULL);
    assert_int_equal(s.logs, 2);
    assert_string_equal(s.database, "");
    assert_string_equal(s.text, DBM__LOG_TEXT ? "a connection was opened" : "");
    memset(longest, 'y', sizeof longest);
    longest[sizeof longest - 1] = 0;
    dbm__event(&host, DBM_EVENT_STATEMENT, DBM_LOG_DEBUG, "d", "", DBM_OK, 0, "%s", longest);
    assert_int_equal(strlen(s.text), DBM__LOG_TEXT ? 1199 : 0);
    if (DBM__LOG_TEXT) assert_string_equal(s.text + 1196, "...");
    dbm__host_free(&host);

    memset(&options, 0, sizeof options);
    memset(&s, 0, sizeof s);
    options.event = see_event;
    options.event_ud = &s;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    assert_true(dbm__event_wanted(&host, DBM_LOG_DEBUG));
    dbm__event(&host, DBM_EVENT_DISCONNECTED, DBM_LOG_DEBUG, "db", "c.c:3", DBM_E_LOST, 42, "bye");
    assert_int_equal(s.events, 1);
    assert_int_equal(s.event.id, DBM_EVENT_DISCONNECTED);
    assert_int_equal(s.event.status, DBM_E_LOST);
    assert_int_equal(s.event.duration_us, 42);
    assert_string_equal(s.event.database, "db");
    assert_string_equal(s.event.site, "c.c:3");
    assert_string_equal(s.text, DBM__LOG_TEXT ? "bye" : "");
    dbm__host_free(&host);
}

#if DBM__STDIO && !defined(_WIN32)
/* The default hook, on a standard error of our own. */
static void test_default_log(void **state) {
    dbm__host host;
    char block[8192], longest[2000];
    ssize_t n;
    int ends[2], before;
    (void)state;
    assert_int_equal(dbm__host_init(&host, NULL), DBM_OK);
    assert_int_equal(pipe(ends), 0);
    fflush(stderr);
    before = dup(2);
    assert_true(before >= 0 && dup2(ends[1], 2) == 2);
    memset(longest, 'y', sizeof longest);
    longest[sizeof longest - 1] = 0;
    dbm__event(&host, DBM_EVENT_LEAK, DBM_LOG_WARNING, "default", "", DBM_OK, 0, "text %d", 1);
    dbm__event(&host, DBM_EVENT_DOWN, DBM_LOG_ERROR, NULL, "", DBM_OK, 0, "text %d", 2);
    dbm__event(&host, DBM_EVENT_UP, DBM_LOG_INFO, "default", "", DBM_OK, 0, "not shown");
    dbm__event(&host, DBM_EVENT_DOWN, DBM_LOG_ERROR, longest, "", DBM_OK, 0, "%s", longest);
    fflush(stderr);
    assert_int_equal(dup2(before, 2), 2);
    close(before);
    close(ends[1]);
    n = read(ends[0], block, sizeof block - 1);
    close(ends[0]);
    assert_true(n > 0);
    block[n] = 0;
#if DBM__LOG_TEXT
    assert_memory_equal(block, "dbm: warning: default: text 1\ndbm: error: text 2\ndbm: error: yyy", 64);
#else
    assert_memory_equal(block, "dbm: warning: default: event 7\ndbm: error: event 4\ndbm: error: yyy", 65);
#endif
    assert_int_equal(block[n - 1], '\n');
    assert_null(strstr(block, "not shown"));
    dbm__host_free(&host);
}
#endif

/* ---- memory -------------------------------------------------------------------------------------------------------- */

typedef struct counting { int left, alive, calls; } counting;
static void *counting_alloc(void *ud, size_t size) {
    counting *c = (counting *)ud;
    void *p;
    c->calls++;
    if (c->left-- <= 0) return NULL;
    p = malloc(size);
    if (p) c->alive++;
    return p;
}
static void *counting_resize(void *ud, void *block, size_t size) {
    counting *c = (counting *)ud;
    assert_non_null(block);
    assert_true(size > 0);
    c->calls++;
    return c->left-- > 0 ? realloc(block, size) : NULL;
}
static void counting_release(void *ud, void *block) {
    assert_non_null(block);
    ((counting *)ud)->alive--;
    free(block);
}

static void test_host_options(void **state) {
    static char block[8192];
    dbm_options options;
    dbm__host host;
    (void)state;
    memset(&options, 0, sizeof options);
    options.allocator.alloc = counting_alloc;
    assert_int_equal(dbm__host_init(&host, &options), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "release"));
    assert_int_equal(dbm_last_error()->stage, DBM_STAGE_CONFIG);
    options.allocator.resize = counting_resize;
    assert_int_equal(dbm__host_init(&host, &options), DBM_E_MISUSE);
    options.allocator.release = counting_release;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    dbm__host_free(&host);
    options.memory = block;
    options.memory_size = sizeof block;
    assert_int_equal(dbm__host_init(&host, &options), DBM_E_MISUSE);
    memset(&options, 0, sizeof options);
    options.memory = block;
    options.memory_size = 4095;
    assert_int_equal(dbm__host_init(&host, &options), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "4096"));
    assert_non_null(strstr(dbm_last_error()->message, "4095"));
    options.memory = NULL;
    assert_int_equal(dbm__host_init(&host, &options), DBM_E_MISUSE);
    options.memory = block;
    options.memory_size = 4096;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    dbm__host_free(&host);
    dbm__host_free(&host); /* a second time does nothing */
}

/* What every source of memory does alike. */
static void check_memory(dbm__host *host) {
    char *p = (char *)dbm__alloc(host, 0), *q;
    size_t i;
    assert_non_null(p);
    dbm__free(host, p);
    dbm__free(host, NULL);
    p = (char *)dbm__resize(host, NULL, 10);
    assert_non_null(p);
    memcpy(p, "123456789", 10);
    p = (char *)dbm__resize(host, p, 1000);
    assert_non_null(p);
    assert_string_equal(p, "123456789");
    p = (char *)dbm__resize(host, p, 0);
    assert_non_null(p);
    dbm__free(host, p);
    q = (char *)dbm__alloc_zero(host, 100);
    assert_non_null(q);
    for (i = 0; i < 100; i++) assert_int_equal(q[i], 0);
    dbm__free(host, q);
    assert_null(dbm__alloc(host, SIZE_MAX));
    assert_null(dbm__alloc(host, SIZE_MAX - 15));
    assert_null(dbm__alloc(host, SIZE_MAX / 2 + 1));
    assert_null(dbm__alloc_zero(host, SIZE_MAX));
    p = (char *)dbm__alloc(host, 8);
    assert_non_null(p);
    memcpy(p, "1234567", 8);
    assert_null(dbm__resize(host, p, SIZE_MAX - 8));
    assert_string_equal(p, "1234567"); /* still there */
    dbm__free(host, p);
    p = dbm__copy_text(host, "hello", 3);
    assert_non_null(p);
    assert_string_equal(p, "hel");
    dbm__free(host, p);
    p = dbm__copy_text(host, "hello", SIZE_MAX);
    assert_non_null(p);
    assert_string_equal(p, "hello");
    dbm__free(host, p);
    p = dbm__copy_text(host, NULL, 3);
    assert_non_null(p);
    assert_string_equal(p, "");
    dbm__free(host, p);
    assert_null(dbm__copy_text(host, "x", SIZE_MAX - 1));
}

static void test_memory(void **state) {
    static char block[16384];
    dbm_options options;
    dbm__host host;
    counting c = { 1000, 0, 0 };
    (void)state;
    assert_int_equal(dbm__host_init(&host, NULL), DBM_OK);
    check_memory(&host);
    dbm__host_free(&host);
    memset(&options, 0, sizeof options);
    options.allocator.alloc = counting_alloc;
    options.allocator.resize = counting_resize;
    options.allocator.release = counting_release;
    options.allocator.ud = &c;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    check_memory(&host);
    assert_int_equal(c.alive, 0);
    assert_true(c.calls > 0);
    dbm__host_free(&host);
    memset(&options, 0, sizeof options);
    options.memory = block;
    options.memory_size = sizeof block;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    check_memory(&host);
    dbm__host_free(&host);
}

/* The n-th allocation fails, for every n, and what there is stays whole. */
static void test_nth_failure(void **state) {
    int n;
    (void)state;
    for (n = 0; n < 6; n++) {
        dbm_options options;
        dbm__host host;
        counting c = { 0, 0, 0 };
        char *a, *b, *d;
        memset(&options, 0, sizeof options);
        options.allocator.alloc = counting_alloc;
        options.allocator.resize = counting_resize;
        options.allocator.release = counting_release;
        options.allocator.ud = &c;
        assert_int_equal(dbm__host_init(&host, &options), DBM_OK); /* allocates nothing itself */
        c.left = n;
        a = dbm__copy_text(&host, "text", SIZE_MAX);
        assert_int_equal(a != NULL, n >= 1);
        b = (char *)dbm__alloc_zero(&host, 10);
        assert_int_equal(b != NULL, n >= 2);
        d = (char *)dbm__resize(&host, a, 1000);
        assert_int_equal(d != NULL, n >= 3);
        if (d) a = d;
        if (a) assert_string_equal(a, "text");
        dbm__free(&host, a);
        dbm__free(&host, b);
        assert_int_equal(c.alive, 0);
        dbm__host_free(&host);
    }
}

/* The largest block that the heap gives at this moment. */
static size_t largest(dbm__host *host) {
    size_t low = 0, high = 1u << 20, mid;
    while (low < high) {
        void *p;
        mid = low + (high - low + 1) / 2;
        p = dbm__alloc(host, mid);
        dbm__free(host, p);
        if (p) low = mid;
        else high = mid - 1;
    }
    return low;
}

static uint32_t next_random(uint32_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static void check_pattern(const unsigned char *p, size_t size, unsigned char byte) {
    size_t i;
    for (i = 0; i < size; i++) {
        if (p[i] != byte) fail_msg("a block of the heap was overwritten");
    }
}

enum { HEAP_BLOCKS = 200, HEAP_BYTES = 65536 };

static void test_heap_random(void **state) {
    static unsigned char memory[HEAP_BYTES + 64];
    unsigned char *blocks[HEAP_BLOCKS], *p;
    size_t sizes[HEAP_BLOCKS], whole, offset;
    dbm_options options;
    dbm__host host;
    uint32_t x = 12345;
    int i, round, failed;
    (void)state;
    for (offset = 0; offset < 17; offset++) {
        memset(&options, 0, sizeof options);
        memset(memory, 0xA5, sizeof memory);
        memset(blocks, 0, sizeof blocks);
        memset(sizes, 0, sizeof sizes);
        failed = 0;
        options.memory = memory + 16 + offset;
        options.memory_size = HEAP_BYTES - offset;
        assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
        whole = largest(&host);
        assert_true(whole > HEAP_BYTES - 256 && whole < HEAP_BYTES);
        for (round = 0; round < 20000; round++) {
            i = (int)(next_random(&x) % HEAP_BLOCKS);
            if (blocks[i]) check_pattern(blocks[i], sizes[i], (unsigned char)i);
            if (next_random(&x) % 3 == 0) {
                dbm__free(&host, blocks[i]);
                blocks[i] = NULL;
            } else {
                size_t size = next_random(&x) % (next_random(&x) % 8 ? 300 : 5000);
                p = (unsigned char *)dbm__resize(&host, blocks[i], size);
                if (!p) { failed++; continue; }
                assert_int_equal((uintptr_t)p % 16, 0);
                assert_true(p >= memory + 16 + offset && p + size <= memory + 16 + HEAP_BYTES);
                if (blocks[i]) check_pattern(p, size < sizes[i] ? size : sizes[i], (unsigned char)i);
                memset(p, i, size);
                blocks[i] = p;
                sizes[i] = size;
            }
        }
        assert_true(failed > 0); /* the heap was full at times, and nothing broke */
        for (i = 0; i < HEAP_BLOCKS; i++) {
            if (blocks[i]) check_pattern(blocks[i], sizes[i], (unsigned char)i);
            dbm__free(&host, blocks[i]);
        }
        assert_int_equal(largest(&host), whole); /* one piece again */
        dbm__host_free(&host);
        check_pattern(memory, 16 + offset, 0xA5);
        check_pattern(memory + 16 + HEAP_BYTES, 48, 0xA5);
    }
}

static void test_heap_exhaustion(void **state) {
    static unsigned char memory[4096];
    void *blocks[4096 / 16], *p, *q;
    dbm_options options;
    dbm__host host;
    size_t n, whole, i;
    (void)state;
    memset(&options, 0, sizeof options);
    options.memory = memory;
    options.memory_size = sizeof memory;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    whole = largest(&host);
    p = dbm__alloc(&host, whole);
    assert_non_null(p);
    assert_null(dbm__alloc(&host, 1));
    assert_null(dbm__resize(&host, p, whole + 16));
    assert_ptr_equal(dbm__resize(&host, p, 100), p);      /* smaller in place, the rest comes back */
    assert_ptr_equal(dbm__resize(&host, p, whole), p);    /* larger in place, as the neighbour is free */
    assert_ptr_equal(dbm__resize(&host, p, 100), p);
    q = dbm__alloc(&host, 100);
    assert_non_null(q);
    p = dbm__resize(&host, p, 200);                        /* moved, as it is not */
    assert_true((char *)p > (char *)q);
    dbm__free(&host, q);
    dbm__free(&host, p);
    for (n = 0; (blocks[n] = dbm__alloc(&host, 1)) != NULL; n++) { }
    assert_true(n > 100);
    for (i = 0; i < n; i += 2) dbm__free(&host, blocks[i]);
    assert_null(dbm__alloc(&host, 200));                   /* holes only */
    for (i = 1; i < n; i += 2) dbm__free(&host, blocks[i]);
    assert_int_equal(largest(&host), whole);
    dbm__host_free(&host);
}

#if !defined(DBM_ASSERT_IS_ON)
/* Blocks that were never given, or were given back already, do no harm. */
static void test_heap_wrong_blocks(void **state) {
    static unsigned char memory[8192];
    dbm_options options;
    dbm__host host;
    char *p, *q, other[64];
    size_t whole;
    (void)state;
    memset(other, 0, sizeof other);
    memset(&options, 0, sizeof options);
    options.memory = memory;
    options.memory_size = sizeof memory;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    whole = largest(&host);
    p = (char *)dbm__alloc(&host, 64);
    q = (char *)dbm__alloc(&host, 64);
    assert_true(p && q);
    memset(p, 0, 64);
    dbm__free(&host, other + 32);
    dbm__free(&host, p + 8);
    dbm__free(&host, p + 32);
    assert_null(dbm__resize(&host, p + 8, 10));
    dbm__free(&host, p);
    dbm__free(&host, p);
    dbm__free(&host, q);
    dbm__free(&host, q);
    assert_int_equal(largest(&host), whole);
    dbm__host_free(&host);
}
#endif

static void test_wipe(void **state) {
    char secret[] = "secret";
    size_t i;
    (void)state;
    dbm__wipe(secret, 0);
    assert_string_equal(secret, "secret");
    dbm__wipe(secret, sizeof secret);
    for (i = 0; i < sizeof secret; i++) assert_int_equal(secret[i], 0);
}

/* ---- time ---------------------------------------------------------------------------------------------------------- */

/* A clock that the test moves: by `step` at each look. */
typedef struct fake { dbm__word us, step, looks; } fake;
static int64_t fake_clock(void *ud) {
    fake *f = (fake *)ud;
    dbm__add(&f->looks, 1);
    return (int64_t)dbm__add(&f->us, f->step);
}

static void fake_host(dbm__host *host, fake *f, size_t us, size_t step) {
    dbm_options options;
    memset(&options, 0, sizeof options);
    memset(f, 0, sizeof *f);
    f->us = us;
    f->step = step;
    options.clock = fake_clock;
    options.clock_ud = f;
    assert_int_equal(dbm__host_init(host, &options), DBM_OK);
}

static void test_clock(void **state) {
    dbm__host host;
    fake f;
    int64_t from, to;
    (void)state;
    assert_int_equal(dbm__host_init(&host, NULL), DBM_OK);
    from = dbm__now(&host);
    assert_true(from > 0);
    dbm__sleep_us(3000);
    to = dbm__now(&host);
    assert_true(to >= from + 3000);
    dbm__sleep_us(0);
    dbm__sleep_us(-1);
    from = dbm__now(&host);
    dbm__sleep_until(&host, from + 4000);
    assert_true(dbm__now(&host) >= from + 4000);
    dbm__sleep_until(&host, from);
    dbm__sleep_until(&host, INT64_MIN);
    dbm__host_free(&host);

    fake_host(&host, &f, 7654321, 0);
    assert_int_equal(dbm__now(&host), 7654321);
    assert_int_equal(dbm__deadline(&host, 0), 7654321);
    assert_int_equal(dbm__deadline(&host, 5), 7659321);
    assert_true(dbm__deadline(&host, -1) == INT64_MAX);
    assert_true(dbm__deadline(&host, INT64_MAX) == INT64_MAX);
    assert_true(dbm__deadline(&host, INT64_MAX / 1000) == INT64_MAX);
    assert_true(dbm__deadline(&host, INT64_MAX / 1000 - 7655) < INT64_MAX);
    dbm__host_free(&host);
}

/* With a clock of the program's, ten of its seconds pass in a few looks of a millisecond. */
static void test_virtual_wait(void **state) {
    dbm__host host, real;
    dbm__lock lock;
    dbm__signal signal;
    fake f;
    int64_t from;
    (void)state;
    assert_int_equal(dbm__host_init(&real, NULL), DBM_OK);
    assert_true(dbm__lock_init(&lock) && dbm__signal_init(&signal));
    fake_host(&host, &f, 1000, 1000000);
    from = dbm__now(&real);
    dbm__lock_take(&lock);
    while (dbm__now(&host) < 10000000) dbm__wait_until(&host, &signal, &lock, 10000000);
    dbm__lock_give(&lock);
    assert_true(f.looks >= 10 && f.looks < 30);
    assert_true(dbm__now(&real) - from < 5000000);
    fake_host(&host, &f, 1000, 1000000);
    dbm__sleep_until(&host, 10000000);
    assert_true(f.looks >= 10 && f.looks < 30);
    dbm__lock_take(&lock);
    from = dbm__now(&real);
    while (dbm__now(&real) < from + 5000) dbm__wait_until(&real, &signal, &lock, from + 5000);
    dbm__wait_until(&real, &signal, &lock, from); /* passed: returns at once */
    dbm__signal_wait(&signal, &lock, 0);
    dbm__signal_wait(&signal, &lock, -5);
    dbm__lock_give(&lock);
    dbm__signal_free(&signal);
    dbm__lock_free(&lock);
    dbm__host_free(&real);
}

static void test_random(void **state) {
    dbm__host a, b;
    uint32_t set = 0, clear = 0, v;
    int i, ones = 0;
    (void)state;
    assert_int_equal(dbm__host_init(&a, NULL), DBM_OK);
    assert_int_equal(dbm__host_init(&b, NULL), DBM_OK);
    assert_int_not_equal(dbm__random(&a), dbm__random(&b));
    a.random = 0; /* no seed is a bad one */
    for (i = 0; i < 4000; i++) {
        v = dbm__random(&a);
        set |= v;
        clear |= ~v;
        ones += (int)(v >> 31);
        assert_int_not_equal(v, dbm__random(&a));
    }
    assert_int_equal(set, UINT32_MAX);
    assert_int_equal(clear, UINT32_MAX);
    assert_true(ones > 1700 && ones < 2300);
}

/* ---- atomics and threads ------------------------------------------------------------------------------------------- */

static void test_atomics(void **state) {
    dbm__word w = 5, expected = 4;
    uint32_t v = 1;
    (void)state;
    assert_false(dbm__cas(&w, &expected, 9));
    assert_int_equal(expected, 5);
    assert_true(dbm__cas(&w, &expected, 9));
    assert_int_equal(dbm__add(&w, 1), 9);
    assert_int_equal(dbm__swap(&w, 3), 10);
    dbm__store(&w, 4);
    assert_int_equal(dbm__load(&w), 4);
    dbm__store_release(&w, 6);
    assert_int_equal(dbm__load_acquire(&w), 6);
    dbm__store32(&v, 77);
    assert_int_equal(dbm__load32(&v), 77);
}

#if HAS_PTHREADS
enum { THREADS = 4, TURNS = 2000 };

typedef struct shared {
    dbm__lock lock;
    dbm__signal signal;
    dbm__host *host;
    int counter, turn, numbered;
    dbm__word atomic, sum;
    dbm__word numbers[THREADS + 1];
    const dbm_error_info *errors[THREADS + 1];
} shared;

typedef struct worker { shared *all; int index; } worker;

static void *work(void *ud) {
    worker *w = (worker *)ud;
    shared *s = w->all;
    void *p;
    int i;
    dbm__fail(DBM_E_SQL, DBM_STAGE_STATEMENT, "", "", "thread %d", w->index);
    s->errors[w->index] = dbm_last_error();
    s->numbers[w->index] = dbm__thread_number();
    for (i = 0; i < TURNS; i++) {
        dbm__word old = dbm__load(&s->sum);
        dbm__lock_take(&s->lock);
        s->counter++;
        dbm__lock_give(&s->lock);
        dbm__add(&s->atomic, 1);
        while (!dbm__cas(&s->sum, &old, old + 3)) { }
        (void)dbm__random(s->host);
        (void)dbm__now(s->host);
        p = dbm__alloc(s->host, (size_t)(i % 100));
        if (p) memset(p, w->index, (size_t)(i % 100));
        p = p ? dbm__resize(s->host, p, (size_t)(i % 300) + 1) : NULL;
        dbm__free(s->host, p);
    }
    for (i = 0; i < 50; i++) { /* in turns, each woken by the one before */
        dbm__lock_take(&s->lock);
        while (s->turn % THREADS != w->index) dbm__signal_wait(&s->signal, &s->lock, i % 2 ? INT64_MAX : 50000000);
        s->turn++;
        dbm__signal_all(&s->signal);
        dbm__lock_give(&s->lock);
    }
    return dbm_last_error()->message[7] == '0' + w->index ? NULL : ud;
}

static void test_threads(void **state) {
    static char memory[65536];
    dbm_options options;
    dbm__host host;
    shared s;
    worker workers[THREADS];
    pthread_t threads[THREADS];
    void *wrong;
    size_t whole;
    int i, j;
    (void)state;
    memset(&s, 0, sizeof s);
    memset(&options, 0, sizeof options);
    options.memory = memory;
    options.memory_size = sizeof memory;
    assert_int_equal(dbm__host_init(&host, &options), DBM_OK);
    whole = largest(&host);
    s.host = &host;
    assert_true(dbm__lock_init(&s.lock) && dbm__signal_init(&s.signal));
    for (i = 0; i < THREADS; i++) {
        workers[i].all = &s;
        workers[i].index = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(s.counter, THREADS * TURNS);
    assert_int_equal(s.atomic, THREADS * TURNS);
    assert_int_equal(s.sum, 3 * THREADS * TURNS);
    assert_int_equal(s.turn, 50 * THREADS);
    assert_int_equal(largest(&host), whole);
    s.numbers[THREADS] = dbm__thread_number();
    s.errors[THREADS] = dbm_last_error();
    assert_int_equal(s.numbers[THREADS], dbm__thread_number());
    for (i = 0; i <= THREADS; i++) {
        assert_true(s.numbers[i] > 0);
        for (j = 0; j < i; j++) assert_true(s.numbers[i] != s.numbers[j]);
    }
    for (i = 0; i < THREADS; i++) assert_ptr_not_equal(s.errors[i], s.errors[THREADS]);
    dbm__signal_free(&s.signal);
    dbm__lock_free(&s.lock);
    dbm__host_free(&host);
}

typedef struct late { dbm__lock lock; dbm__signal signal; bool set; fake *clock; } late;
static void *set_late(void *ud) {
    late *l = (late *)ud;
    dbm__sleep_us(20000);
    if (l->clock) dbm__add(&l->clock->us, 5000000);
    dbm__lock_take(&l->lock);
    l->set = true;
    if (!l->clock) dbm__signal_one(&l->signal);
    dbm__lock_give(&l->lock);
    return NULL;
}

/* Woken long before the time; and with a clock that another thread moves on, the wait ends without being woken. */
static void test_woken(void **state) {
    dbm__host real, host;
    fake f;
    late l;
    pthread_t thread;
    int64_t from;
    int run;
    (void)state;
    assert_int_equal(dbm__host_init(&real, NULL), DBM_OK);
    for (run = 0; run < 2; run++) {
        memset(&l, 0, sizeof l);
        fake_host(&host, &f, 1000, 0);
        l.clock = run ? &f : NULL;
        assert_true(dbm__lock_init(&l.lock) && dbm__signal_init(&l.signal));
        assert_int_equal(pthread_create(&thread, NULL, set_late, &l), 0);
        from = dbm__now(&real);
        dbm__lock_take(&l.lock);
        if (run) {
            while (dbm__now(&host) < 5000000) dbm__wait_until(&host, &l.signal, &l.lock, 5000000);
        } else {
            while (!l.set) dbm__wait_until(&real, &l.signal, &l.lock, from + 60000000);
        }
        dbm__lock_give(&l.lock);
        assert_true(dbm__now(&real) - from < 30000000);
        assert_int_equal(pthread_join(thread, NULL), 0);
        dbm__signal_free(&l.signal);
        dbm__lock_free(&l.lock);
    }
}

static void test_fork(void **state) {
    dbm__word before;
    pid_t child;
    int status = -1;
    (void)state;
    dbm__fork_watch();
    dbm__fork_watch(); /* counts once all the same */
    before = dbm__fork_epoch();
    child = fork();
    if (child == 0) {
        int inner = -1;
        pid_t grandchild;
        if (dbm__fork_epoch() != before + 1) _exit(1);
        grandchild = fork();
        if (grandchild == 0) _exit(dbm__fork_epoch() == before + 2 ? 0 : 1);
        if (waitpid(grandchild, &inner, 0) != grandchild || inner != 0) _exit(2);
        _exit(dbm__fork_epoch() == before + 1 ? 0 : 3);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(dbm__fork_epoch(), before);
}
#endif

/* ---- sockets ------------------------------------------------------------------------------------------------------- */

#if !defined(_WIN32)
static void on_alarm(int number) { (void)number; }

static void test_poll(void **state) {
    dbm__host host, slow;
    fake f;
    char byte;
    int s[2];
    int64_t from;
    struct sigaction action, old;
    (void)state;
    assert_int_equal(dbm__host_init(&host, NULL), DBM_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
    assert_int_equal(dbm__net_peek(s[0]), DBM_OK);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_WRITE, INT64_MAX), DBM_OK);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_BOTH, INT64_MAX), DBM_OK);
    from = dbm__now(&host);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_READ, from + 20000), DBM_E_TIMEOUT);
    assert_true(dbm__now(&host) >= from + 20000);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_READ, from), DBM_E_TIMEOUT);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_READ, INT64_MIN), DBM_E_TIMEOUT);
    assert_int_equal(dbm__net_wait(&host, -1, DBM_STEP_TIMER, dbm__now(&host) + 2000), DBM_E_TIMEOUT);

    memset(&action, 0, sizeof action); /* a signal neither ends nor prolongs the wait */
    action.sa_handler = on_alarm;
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    from = dbm__now(&host);
    alarm(1);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_READ, from + 1200000), DBM_E_TIMEOUT);
    assert_true(dbm__now(&host) >= from + 1200000);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);

    fake_host(&slow, &f, 1000, 1000000); /* a clock of the program's */
    assert_int_equal(dbm__net_wait(&slow, s[0], DBM_STEP_READ, 10000000), DBM_E_TIMEOUT);
    assert_true(f.looks >= 10 && f.looks < 30);

    assert_int_equal(write(s[1], "x", 1), 1);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_READ, INT64_MAX), DBM_OK);
    assert_int_equal(dbm__net_wait(&slow, s[0], DBM_STEP_READ, INT64_MAX), DBM_OK);
    assert_int_equal(dbm__net_peek(s[0]), DBM_E_LOST);  /* bytes that nobody asked for */
    assert_int_equal(read(s[0], &byte, 1), 1);          /* and they are still there */
    assert_int_equal(dbm__net_peek(s[0]), DBM_OK);
    close(s[1]);
    assert_int_equal(dbm__net_peek(s[0]), DBM_E_LOST);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_READ, INT64_MAX), DBM_OK); /* ready: reading tells the end */
    close(s[0]);
    assert_int_equal(dbm__net_wait(&host, s[0], DBM_STEP_READ, INT64_MAX), DBM_E_LOST);
    assert_int_equal(dbm__net_peek(s[0]), DBM_E_LOST);
    assert_int_equal(dbm__net_peek(-1), DBM_E_LOST);

    assert_int_equal(pipe(s), 0); /* a pipe whose reader is gone: an error, and nothing to read */
    close(s[0]);
    assert_int_equal(dbm__net_wait(&host, s[1], DBM_STEP_READ, INT64_MAX), DBM_E_LOST);
    close(s[1]);
    dbm__host_free(&host);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_no_gap),
        cmocka_unit_test(test_utf8_cuts),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_same_word),
        cmocka_unit_test(test_list_has),
        cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_fail),
        cmocka_unit_test(test_events),
#if DBM__STDIO && !defined(_WIN32)
        cmocka_unit_test(test_default_log),
#endif
        cmocka_unit_test(test_host_options),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_nth_failure),
        cmocka_unit_test(test_heap_random),
        cmocka_unit_test(test_heap_exhaustion),
#if !defined(DBM_ASSERT_IS_ON)
        cmocka_unit_test(test_heap_wrong_blocks),
#endif
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_virtual_wait),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_atomics),
#if HAS_PTHREADS
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_woken),
        cmocka_unit_test(test_fork),
#endif
#if !defined(_WIN32)
        cmocka_unit_test(test_poll),
#endif
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
