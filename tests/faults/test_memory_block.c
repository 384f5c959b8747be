/* dbm_options.memory: a manager in a block of the caller's, from far too small to more than enough. Every size ends with a clean status,
 * nothing outside of the block is touched, and from some size on everything works. Prints those sizes: for a small program with one
 * connection (a device), and for all scenes of a program's life. */
#include "scenes.h"

enum { KB = 1024, MARGIN = 64, MOST = 1024 * KB };
static unsigned char *whole;

static unsigned char *block_of(size_t size) {
    memset(whole, 0xEE, MARGIN + size + MARGIN);
    return whole + MARGIN;
}
static void margins_are_whole(size_t size) {
    for (size_t i = 0; i < MARGIN; i++) {
        if (whole[i] != 0xEE || whole[MARGIN + size + i] != 0xEE) fail_msg("a block of %zu bytes: a byte outside of it was written", size);
    }
}

/* ---- a device: one file, one connection, a few statements ---------------------------------------------------------------------- */

typedef struct reading { int64_t id; int32_t sensor; int64_t value; } reading;
DBM_MODEL(reading, "readings", DBM_KEY(id), DBM_FIELD(sensor), DBM_FIELD(value));

static dbm_status device(const dbm_options *options, const char *url) {
    static const dbm_model *const models[] = { &reading_model };
    dbm_manager *mgr = NULL;
    dbm_database *db;
    dbm_status st = dbm_manager_create(&mgr, options), rc;
    int64_t sum = 0, n = 0;
    if (st != DBM_OK) return mgr == NULL ? st : DBM_E_MISUSE;
    st = dbm_add_database(mgr, DBM_CONFIG(.url = url, .pool.size = 1, .pool.max_overflow = -1, .statement_cache = 4));
    db = dbm_get(mgr, NULL);
    if (st == DBM_OK) st = db != NULL ? dbm_create_all(db, models, 1) : dbm_last_error()->status;
    if (st == DBM_OK) st = dbm_exec(db, "DELETE FROM readings");
    if (st == DBM_OK) {
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            for (int i = 0; i < 10; i++) {
                reading r = { 0, 1, 0 };
                r.value = i * 10;
                dbm_insert_struct(s, &reading_model, &r);
            }
            DBM_EACH(s, row, "SELECT value FROM readings WHERE sensor = ?", 1) sum += dbm_row_int(row, 0);
        }
        st = rc;
    }
    if (st == DBM_OK && sum != 450) st = DBM_E_MISUSE;
    if (db != NULL) { /* what was committed is there; what failed is not */
        dbm_stats_info stats;
        dbm_row *row;
        if (dbm_stats(db, &stats) != DBM_OK || stats.out != 0) st = DBM_E_MISUSE;
        rc = dbm_query_one(db, &row, "SELECT count(*) FROM readings");
        if (rc == DBM_OK) n = dbm_row_int(row, 0);
        dbm_row_end(row);
        if (rc == DBM_OK && n != (st == DBM_OK ? 10 : 0)) st = DBM_E_MISUSE;
    }
    dbm_manager_free(mgr);
    return st;
}

static dbm_status device_in(size_t size, const char *url) {
    dbm_options options;
    dbm_status st;
    memset(&options, 0, sizeof options);
    options.memory = block_of(size);
    options.memory_size = size;
    options.log = stage_quiet;
    options.no_env = true;
    st = device(&options, url);
    margins_are_whole(size);
    return st;
}

static void a_device(void **state) {
    test_dir dir;
    size_t works = 0, size, low, high;
    int refused = 0;
    (void)state;
    test_dir_make(&dir);
    for (size = 0; size <= MOST; size += size < 64 * KB ? 256 : size < 128 * KB ? 4 * KB : 64 * KB) {
        dbm_status st = device_in(size, test_dir_url(&dir, "device.db"));
        if (st == DBM_OK) {
            if (works == 0) works = size;
        } else {
            refused++;
            if (works != 0) fail_msg("%zu bytes are enough, but %zu are not", works, size);
            if (st != DBM_E_NOMEM && !(st == DBM_E_MISUSE && size < 4096)) fail_msg("%zu bytes: %s", size, dbm_last_error()->message);
            if (dbm_last_error()->message[0] == '\0') fail_msg("%zu bytes: no message", size);
        }
    }
    assert_true(works != 0 && works <= 64 * KB && refused > 0);
    for (low = works - 256, high = works; high - low > 16;) {
        size_t middle = (low + high) / 2;
        if (device_in(middle, test_dir_url(&dir, "device.db")) == DBM_OK) high = middle;
        else low = middle;
    }
    printf("  a device (one connection, 4 statements cached, a model): %zu bytes\n", high);
    /* At an odd address, with an odd size, and the same block again. */
    for (size_t shift = 1; shift < 16; shift += 2) {
        dbm_options options;
        memset(&options, 0, sizeof options);
        options.memory = block_of(high + 64) + shift;
        options.memory_size = high + 48 - shift;
        options.log = stage_quiet;
        for (int i = 0; i < 3; i++) assert_int_equal(device(&options, test_dir_url(&dir, "device.db")), DBM_OK);
        margins_are_whole(high + 64);
    }
    test_dir_remove(&dir);
}

/* A block does not wear out: thousands of statements and values of all lengths through a small cache, in little more than they need at once. */
static void long_use(void **state) {
    enum { SIZE = 36 * KB, ROUNDS = 5000 };
    dbm_options options;
    dbm_manager *mgr = NULL;
    dbm_status rc;
    uint32_t random = 12345;
    char value[900], sql[600];
    long failed = 0;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(value, 'v', sizeof value);
    options.memory = block_of(SIZE);
    options.memory_size = SIZE;
    options.log = stage_quiet;
    options.no_env = true;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, DBM_CONFIG(.url = "sqlite:///:memory:", .statement_cache = 4)), DBM_OK);
    assert_int_equal(dbm_exec(dbm_get(mgr, NULL), "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)"), DBM_OK);
    for (int round = 0; round < ROUNDS; round++) {
        size_t length;
        int n;
        random = random * 1664525u + 1013904223u;
        n = snprintf(sql, sizeof sql, "SELECT id, v FROM t WHERE v >= ? /* %u ", (unsigned)random);
        length = (size_t)n + (random >> 8) % 400;
        memset(sql + n, 'c', length - (size_t)n);
        memcpy(sql + length, " */", 4);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            size_t size = (random >> 16) % sizeof value;
            dbm_exec(s, "INSERT OR REPLACE INTO t VALUES (?, ?)", round % 16, dbm_textn(value, size));
            DBM_EACH(s, row, sql, dbm_textn(value, size / 4)) {
                if (strlen(dbm_row_text(row, 1)) > sizeof value) fail_msg("a text is too long");
                DBM_SAVEPOINT(s) dbm_exec(s, "UPDATE t SET v = v WHERE id = ?", dbm_row_int(row, 0)); /* puts the rest of the rows aside */
                if (dbm_row_int(row, 0) % 3 == 0) break;
            }
        }
        if (rc == DBM_OK) continue;
        assert_int_equal(rc, DBM_E_NOMEM);
        failed++;
    }
    printf("  long use: %d rounds in %d bytes, %ld of them without enough memory\n", (int)ROUNDS, (int)SIZE, failed);
    assert_int_equal(failed, 0);
    dbm_manager_free(mgr);
    margins_are_whole(SIZE);
}

/* ---- all scenes ---------------------------------------------------------------------------------------------------------------------- */

static long no_faults(void) { return 0; }
static void nothing_to_stop(void) {}

static bool life_in(stage *x, size_t size) {
    x->options.memory = block_of(size);
    x->options.memory_size = size;
    x->n = (long)size;
    stage_play(x);
    margins_are_whole(size);
    return x->failed == 0;
}

static void all_scenes(void **state) {
    dbm_options options;
    size_t works = 0, low, high;
    stage x;
    (void)state;
    memset(&options, 0, sizeof options);
    stage_open(&x, &options, 1);
    x.what = "a block of so many bytes";
    x.faults = no_faults;
    x.stop = nothing_to_stop;
    x.lasting = true; /* a scene that fails is left as it is */
    for (size_t size = 8 * KB; size <= MOST; size += size < 256 * KB ? 4 * KB : 64 * KB) {
        if (life_in(&x, size)) {
            if (works == 0) works = size;
        } else if (works != 0) {
            fail_msg("%zu bytes are enough for all scenes, but %zu are not", works, size);
        }
    }
    assert_true(works > 8 * KB && works < 512 * KB);
    for (low = works - 4 * KB, high = works; high - low > 64;) {
        size_t middle = (low + high) / 2;
        if (life_in(&x, middle)) high = middle;
        else low = middle;
    }
    printf("  all scenes (three databases, one connection each, loops that write, 60 KB put aside): %zu bytes\n", high);
    stage_close(&x);
}

static int make(void **state) {
    (void)state;
    whole = (unsigned char *)malloc(MARGIN + MOST + MARGIN);
    return whole == NULL;
}
static int drop(void **state) {
    (void)state;
    free(whole);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_device), cmocka_unit_test(long_use), cmocka_unit_test(all_scenes) };
    return cmocka_run_group_tests(tests, make, drop);
}
