/* sql/cache.c: hits and misses, age, entries in use, statements that serve once at a time, failures, and no allocation once warm. */
#include "dbm_test.h"

/* ---- an adapter that prepares and nothing else ------------------------------------------------------------------------- */

#define MAX_DATA 8192
typedef struct fake {
    int prepared, unprepared;        /* calls */
    int refuse_at;                   /* the number of the PREPARE that fails; 0: none */
    bool unsupported;
    bool single;
    bool unprepare_fails;
    int live;
    bool is_live[MAX_DATA];          /* by number from 1, in order of PREPARE */
    char last_unprepared[128];       /* its SQL */
    char sql[256];                   /* of the last PREPARE */
} fake;
static fake the_fake;
static int numbers[MAX_DATA];        /* what prepared->data points to */

static dbm_status fake_execute(dbm_connection *c, dbm_op *op) {
    fake *f = &the_fake;
    (void)c;
    if (op->kind == DBM_OP_PREPARE) {
        f->prepared++;
        assert_non_null(op->prepared);
        assert_null(op->prepared->data);
        assert_string_equal(op->sql, op->prepared->sql);
        assert_int_equal(op->sql_size, strlen(op->sql));
        if (f->unsupported) return DBM_E_UNSUPPORTED;
        if (f->refuse_at == f->prepared) {
            c->reported = true; /* what dbm_adapter_fail does, without the settings that it redacts by */
            return dbm__fail(DBM_E_SQL, DBM_STAGE_STATEMENT, "shop", "", "no such table");
        }
        assert_true(f->prepared < MAX_DATA);
        (void)snprintf(f->sql, sizeof f->sql, "%s", op->sql);
        numbers[f->prepared] = f->prepared;
        f->is_live[f->prepared] = true;
        f->live++;
        op->prepared->data = &numbers[f->prepared];
        op->prepared->single = f->single;
        return DBM_OK;
    }
    if (op->kind == DBM_OP_UNPREPARE) {
        int number = *(int *)op->prepared->data;
        f->unprepared++;
        assert_true(f->is_live[number]);
        f->is_live[number] = false;
        f->live--;
        (void)snprintf(f->last_unprepared, sizeof f->last_unprepared, "%s", op->sql);
        if (f->unprepare_fails) return dbm__fail(DBM_E_LOST, DBM_STAGE_STATEMENT, "shop", "", "gone");
        return DBM_OK;
    }
    return DBM_E_UNSUPPORTED;
}

typedef struct bench {
    test_heap heap;
    dbm__host host;
    dbm_adapter adapter;
    dbm_database db;
    dbm_connection c;
} bench;

static void bench_begin(bench *b, dbm_placeholders placeholders) {
    dbm_options options;
    memset(b, 0, sizeof *b);
    memset(&the_fake, 0, sizeof the_fake);
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&b->heap);
    assert_int_equal(dbm__host_init(&b->host, &options), DBM_OK);
    b->adapter.size = (uint32_t)sizeof b->adapter;
    b->adapter.version = DBM_ADAPTER_VERSION;
    b->adapter.type = "fake";
    b->adapter.placeholders = placeholders;
    b->adapter.execute = fake_execute;
    b->db.adapter = &b->adapter;
    b->db.host = &b->host;
    b->db.name = "shop";
    b->c.db = &b->db;
    b->c.open = true;
}
static void bench_end(bench *b) {
    dbm__cache_free(&b->c);
    assert_null(b->c.cache);
    assert_int_equal(test_heap_live(&b->heap), 0);
    dbm__host_free(&b->host);
}

static dbm_status take(bench *b, const char *sql, bool named, dbm__entry **out) {
    *out = NULL;
    return dbm__cache_take(&b->c, sql, named, INT64_MAX, "a.c:1", out);
}
static dbm__entry *must_take(bench *b, const char *sql) {
    dbm__entry *e;
    assert_int_equal(take(b, sql, false, &e), DBM_OK);
    assert_non_null(e);
    assert_string_equal(e->text, sql);
    return e;
}
static void give(bench *b, dbm__entry *e) { dbm__cache_give(&b->c, e); }
static void once(bench *b, const char *sql) { give(b, must_take(b, sql)); }

/* What must hold at any time. */
static void check_cache(bench *b) {
    const dbm__cache *k = b->c.cache;
    const dbm__entry *e, *last = NULL;
    size_t i, chained = 0;
    int count = 0, free_ones = 0;
    for (e = k->newest; e; e = e->older) {
        assert_ptr_equal(e->newer, last);
        assert_true(e->cached);
        if (!e->uses) free_ones++;
        count++;
        last = e;
    }
    assert_ptr_equal(k->oldest, last);
    assert_int_equal(k->count, count);
    assert_true(count <= k->limit || free_ones == 0);
    for (i = 0; i < k->chain_count; i++) {
        for (e = k->chains[i]; e; e = e->next_hash) {
            assert_int_equal(e->hash & (k->chain_count - 1), i);
            chained++;
        }
    }
    assert_int_equal(chained, (size_t)count);
    for (i = 0; i < DBM__HINTS; i++) {
        if (!k->hints[i]) continue;
        for (e = k->newest; e && e != k->hints[i]; e = e->older) { }
        assert_non_null(e);
    }
}

/* ---- the entry --------------------------------------------------------------------------------------------------------- */

static void test_entry(void **state) {
    bench b;
    dbm__entry *e, *again;
    char sql[64];
    (void)state;
    bench_begin(&b, DBM_PH_DOLLAR);
    assert_int_equal(dbm__cache_make(&b.c, 8), DBM_OK);
    strcpy(sql, "SELECT a FROM t WHERE b = ?");
    e = must_take(&b, sql);
    assert_string_equal(e->prepared.sql, "SELECT a FROM t WHERE b = $1");
    assert_int_equal(e->prepared.sql_size, strlen(e->prepared.sql));
    assert_int_equal(e->text_size, strlen(sql));
    assert_int_equal(e->prepared.parameters, 1);
    assert_false(e->prepared.writes);
    assert_true(e->prepared.returns_rows);
    assert_int_equal(e->verb, DBM__VERB_READ);
    assert_int_equal(e->uses, 1);
    assert_true(e->cached);
    give(&b, e);
    assert_int_equal(e->uses, 0);
    again = must_take(&b, "SELECT a FROM t WHERE b = ?");
    assert_ptr_equal(again, e);
    give(&b, e);
    assert_int_equal(dbm__load(&b.c.cache_hits), 1);
    assert_int_equal(dbm__load(&b.c.cache_misses), 1);
    /* the same buffer, another text */
    strcpy(sql, "SELECT a FROM t WHERE c = ?");
    again = must_take(&b, sql);
    assert_ptr_not_equal(again, e);
    give(&b, again);
    assert_int_equal(the_fake.prepared, 2);

    e = must_take(&b, "INSERT INTO t VALUES (?, ?) RETURNING id");
    assert_true(e->prepared.writes && e->prepared.returns_rows);
    assert_int_equal(e->prepared.parameters, 2);
    give(&b, e);
    e = must_take(&b, "DELETE FROM t");
    assert_true(e->prepared.writes && !e->prepared.returns_rows);
    assert_int_equal(e->prepared.parameters, 0);
    give(&b, e);

    /* :name is a name only when the values have names */
    assert_int_equal(take(&b, "SELECT :a, :bc, :a", true, &e), DBM_OK);
    assert_true(e->named);
    assert_int_equal(e->prepared.parameters, 2);
    assert_string_equal(e->places[0].name, "a");
    assert_int_equal(e->places[1].size, 2);
    assert_memory_equal(e->places[1].name, "bc", 2);
    give(&b, e);
    again = must_take(&b, "SELECT :a, :bc, :a");
    assert_ptr_not_equal(again, e);
    assert_null(again->places);
    give(&b, again);
    assert_int_equal(take(&b, "SELECT :a, :bc, :a", true, &again), DBM_OK);
    assert_ptr_equal(again, e);
    give(&b, e);
    check_cache(&b);
    bench_end(&b);
    assert_int_equal(the_fake.live, 0);
}

static void test_refused(void **state) {
    bench b;
    dbm__entry *e;
    long live;
    (void)state;
    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, 8), DBM_OK);
    once(&b, "SELECT 1");
    live = test_heap_live(&b.heap);
    assert_int_equal(take(&b, NULL, false, &e), DBM_E_MISUSE);
    assert_int_equal(take(&b, "SELECT 1; SELECT 2", false, &e), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "one statement at a time: use dbm_script"));
    assert_string_equal(dbm_last_error()->site, "a.c:1");
    assert_string_equal(dbm_last_error()->database, "shop");
    assert_null(e);
    assert_int_equal(take(&b, "SELECT 'x", false, &e), DBM_E_MISUSE);
    assert_string_equal(dbm_last_error()->site, "a.c:1");
    assert_int_equal(take(&b, "SELECT ?", true, &e), DBM_E_MISUSE);
    assert_int_equal(the_fake.prepared, 1);
    the_fake.refuse_at = 2;
    assert_int_equal(take(&b, "SELECT nothing", false, &e), DBM_E_SQL);
    assert_string_equal(dbm_last_error()->message, "no such table");
    assert_string_equal(dbm_last_error()->site, "a.c:1");
    assert_null(e);
    assert_int_equal(b.c.cache->count, 1);
    assert_int_equal(test_heap_live(&b.heap), live);
    check_cache(&b);
    once(&b, "SELECT nothing");
    assert_int_equal(b.c.cache->count, 2);
    once(&b, "SELECT 1; -- no second one");
    bench_end(&b);

    bench_begin(&b, DBM_PH_NATIVE); /* in another language a semicolon may belong to the statement */
    assert_int_equal(dbm__cache_make(&b.c, 8), DBM_OK);
    e = must_take(&b, "BEGIN BATCH INSERT INTO t (a) VALUES (1); INSERT INTO t (a) VALUES (2); APPLY BATCH");
    assert_int_equal(e->prepared.parameters, -1);
    give(&b, e);
    bench_end(&b);
}

static void test_unsupported(void **state) {
    bench b;
    dbm__entry *e;
    (void)state;
    bench_begin(&b, DBM_PH_QUESTION);
    the_fake.unsupported = true;
    assert_int_equal(dbm__cache_make(&b.c, 2), DBM_OK);
    e = must_take(&b, "SELECT 1");
    assert_null(e->prepared.data);
    give(&b, e);
    once(&b, "SELECT 2");
    once(&b, "SELECT 3");
    assert_int_equal(dbm__load(&b.c.cache_evictions), 1);
    bench_end(&b);
    assert_int_equal(the_fake.unprepared, 0);
}

/* ---- age, use, limits -------------------------------------------------------------------------------------------------- */

static void test_oldest_goes(void **state) {
    bench b;
    dbm__entry *e;
    dbm_error_info before;
    (void)state;
    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, 3), DBM_OK);
    once(&b, "SELECT 1");
    once(&b, "SELECT 2");
    once(&b, "SELECT 3");
    once(&b, "SELECT 1"); /* now 2 is the oldest */
    once(&b, "SELECT 4");
    assert_string_equal(the_fake.last_unprepared, "SELECT 2");
    e = must_take(&b, "SELECT 3"); /* 1 is the oldest */
    once(&b, "SELECT 5");
    assert_string_equal(the_fake.last_unprepared, "SELECT 1");
    once(&b, "SELECT 6"); /* 4, 3 in use, 5 */
    assert_string_equal(the_fake.last_unprepared, "SELECT 4");
    once(&b, "SELECT 7");
    assert_string_equal(the_fake.last_unprepared, "SELECT 5");
    once(&b, "SELECT 8"); /* 3 is the oldest but in use */
    assert_string_equal(the_fake.last_unprepared, "SELECT 6");
    check_cache(&b);
    assert_int_equal(e->uses, 1);
    give(&b, e);
    once(&b, "SELECT 9");
    assert_string_equal(the_fake.last_unprepared, "SELECT 3");
    assert_int_equal(dbm__load(&b.c.cache_evictions), 6);
    /* what was reported stays reported while an old statement is dropped */
    the_fake.unprepare_fails = true;
    dbm__fail(DBM_E_CONSTRAINT, DBM_STAGE_STATEMENT, "shop", "b.c:9", "taken");
    before = *dbm_last_error();
    once(&b, "SELECT 10");
    assert_memory_equal(&before, dbm_last_error(), sizeof before);
    assert_true(b.c.broken);
    the_fake.unprepare_fails = false;
    bench_end(&b);
    assert_int_equal(the_fake.live, 0);
}

static void test_all_in_use(void **state) {
    bench b;
    dbm__entry *e[6];
    char sql[32];
    int i;
    (void)state;
    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, 2), DBM_OK);
    for (i = 0; i < 6; i++) {
        (void)snprintf(sql, sizeof sql, "SELECT %d", i);
        e[i] = must_take(&b, sql);
    }
    assert_int_equal(b.c.cache->count, 6);
    assert_int_equal(the_fake.unprepared, 0);
    for (i = 0; i < 6; i++) {
        give(&b, e[i]);
        assert_int_equal(b.c.cache->count, i < 4 ? 5 - i : 2);
        check_cache(&b);
    }
    assert_int_equal(the_fake.live, 2);
    bench_end(&b);
}

static void test_shared_and_single(void **state) {
    bench b;
    dbm__entry *e, *f, *g;
    (void)state;
    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, 8), DBM_OK);
    e = must_take(&b, "SELECT 1");
    f = must_take(&b, "SELECT 1");
    assert_ptr_equal(e, f);
    assert_int_equal(e->uses, 2);
    give(&b, e);
    give(&b, f);
    the_fake.single = true;
    e = must_take(&b, "SELECT 2");
    f = must_take(&b, "SELECT 2");
    assert_ptr_not_equal(e, f);
    g = must_take(&b, "SELECT 2");
    assert_int_equal(b.c.cache->count, 4);
    assert_int_equal(the_fake.prepared, 4);
    give(&b, f);
    assert_ptr_equal(must_take(&b, "SELECT 2"), f);
    give(&b, e);
    give(&b, f);
    give(&b, g);
    once(&b, "SELECT 2");
    assert_int_equal(the_fake.prepared, 4);
    check_cache(&b);
    bench_end(&b);
    assert_int_equal(the_fake.live, 0);
}

static void test_not_kept(void **state) {
    bench b;
    dbm__entry *e;
    char *large = (char *)malloc(DBM__CACHE_TEXT_MAX + 2);
    long live;
    (void)state;
    assert_non_null(large);
    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, 0), DBM_OK);
    live = test_heap_live(&b.heap);
    e = must_take(&b, "SELECT 1");
    assert_false(e->cached);
    give(&b, e);
    assert_int_equal(the_fake.live, 0);
    assert_int_equal(test_heap_live(&b.heap), live);
    once(&b, "SELECT 1");
    assert_int_equal(dbm__load(&b.c.cache_misses), 2);
    bench_end(&b);

    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, -1), DBM_OK);
    once(&b, "SELECT 1");
    bench_end(&b);

    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, 8), DBM_OK);
    memset(large, ' ', DBM__CACHE_TEXT_MAX + 1);
    memcpy(large, "SELECT 1", 8);
    large[DBM__CACHE_TEXT_MAX + 1] = 0;
    e = must_take(&b, large);
    assert_false(e->cached);
    give(&b, e);
    assert_int_equal(the_fake.live, 0);
    large[DBM__CACHE_TEXT_MAX] = 0;
    e = must_take(&b, large);
    assert_true(e->cached);
    give(&b, e);
    check_cache(&b);
    bench_end(&b);
    free(large);
}

static void test_closed(void **state) {
    bench b;
    (void)state;
    bench_begin(&b, DBM_PH_QUESTION);
    dbm__cache_free(&b.c); /* none was made */
    assert_int_equal(dbm__cache_make(&b.c, 8), DBM_OK);
    once(&b, "SELECT 1");
    (void)must_take(&b, "SELECT 2");
    b.c.open = false;
    bench_end(&b); /* frees both without a word to the driver */
    assert_int_equal(the_fake.unprepared, 0);
}

/* ---- cost and failures ------------------------------------------------------------------------------------------------- */

static void test_warm(void **state) {
    bench b;
    char sql[64][48];
    long calls;
    int i, round;
    (void)state;
    bench_begin(&b, DBM_PH_QUESTION);
    assert_int_equal(dbm__cache_make(&b.c, 64), DBM_OK);
    for (i = 0; i < 64; i++) {
        (void)snprintf(sql[i], sizeof sql[i], "SELECT a FROM t WHERE b = ? AND c = %d", i);
        once(&b, sql[i]);
    }
    calls = b.heap.calls;
    for (round = 0; round < 100; round++) for (i = 0; i < 64; i++) once(&b, sql[i]);
    assert_int_equal(b.heap.calls, calls);
    assert_int_equal(the_fake.prepared, 64);
    assert_int_equal(dbm__load(&b.c.cache_hits), 6400);
    assert_int_equal(dbm__load(&b.c.cache_misses), 64);
    check_cache(&b);
    bench_end(&b);
}

static void test_nth_allocation(void **state) {
    static const char *const sqls[] = { "SELECT ?", "SELECT ??, ?", "SELECT 1", "SELECT :a, :b", "INSERT INTO t VALUES (?)" };
    long n;
    (void)state;
    for (n = 1; ; n++) {
        bench b;
        long failed;
        int round, i;
        bench_begin(&b, DBM_PH_DOLLAR);
        test_heap_fail(&b.heap, n);
        if (dbm__cache_make(&b.c, 3) != DBM_OK) {
            assert_int_equal(dbm_last_error()->status, DBM_E_NOMEM);
            assert_null(b.c.cache);
            assert_int_equal(dbm__cache_make(&b.c, 3), DBM_OK);
        }
        for (round = 0; round < 2; round++) {
            for (i = 0; i < 5; i++) {
                dbm__entry *e;
                long live = test_heap_live(&b.heap);
                int count = b.c.cache->count;
                dbm_status st = take(&b, sqls[i], i == 3, &e);
                if (st != DBM_OK) {
                    assert_int_equal(st, DBM_E_NOMEM);
                    assert_int_equal(dbm_last_error()->status, DBM_E_NOMEM);
                    assert_int_equal(test_heap_live(&b.heap), live);
                    assert_int_equal(b.c.cache->count, count);
                    assert_int_equal(take(&b, sqls[i], i == 3, &e), DBM_OK);
                }
                give(&b, e);
                check_cache(&b);
            }
        }
        failed = b.heap.failed;
        bench_end(&b);
        assert_int_equal(the_fake.live, 0);
        if (!failed) break;
    }
    assert_true(n > 10);
}

/* Random takes and gives beside a list that is kept in the plainest way. */
#define TEXTS 24
#define HELD 12
typedef struct model_entry { int text; bool named; int uses; bool single; long stamp; const dbm__entry *e; } model_entry;

static void test_model(void **state) {
    static model_entry model[256];
    static const int limits[] = { 0, 1, 3, 8, 64 };
    size_t which;
    uint32_t random = 12345;
    (void)state;
#define DRAW(n) ((int)((random = random * 1664525u + 1013904223u) >> 8) % (n))
    for (which = 0; which < 5; which++) {
        bench b;
        char texts[TEXTS][2][40]; /* each at two addresses */
        struct { dbm__entry *e; } held[HELD];
        int held_count = 0, count = 0, i, step, limit = limits[which];
        long stamp = 0, hits = 0, misses = 0, evictions = 0;
        bench_begin(&b, DBM_PH_QUESTION);
        assert_int_equal(dbm__cache_make(&b.c, limit), DBM_OK);
        for (i = 0; i < TEXTS; i++) {
            (void)snprintf(texts[i][0], sizeof texts[i][0], i % 3 ? "SELECT :a, %d" : "SELECT %d", i);
            strcpy(texts[i][1], texts[i][0]);
        }
        for (step = 0; step < 1500; step++) {
            if (held_count == HELD || (held_count && DRAW(2))) {
                int h = DRAW(held_count);
                dbm__entry *e = held[h].e;
                for (i = 0; model[i].e != e; i++) assert_true(i < count);
                model[i].uses--;
                give(&b, e);
                held[h] = held[--held_count];
                if (!model[i].uses && limit == 0) model[i] = model[--count];
            } else {
                int text = DRAW(TEXTS);
                bool named = text % 3 && DRAW(2), hit = false;
                dbm__entry *e;
                long hits_before = (long)dbm__load(&b.c.cache_hits);
                the_fake.single = DRAW(2) != 0;
                assert_int_equal(take(&b, texts[text][DRAW(2)], named, &e), DBM_OK);
                assert_string_equal(e->text, texts[text][0]);
                assert_int_equal(e->named, named);
                for (i = 0; limit && i < count; i++) {
                    if (model[i].text == text && model[i].named == named && !(model[i].single && model[i].uses)) hit = true;
                }
                assert_int_equal((long)dbm__load(&b.c.cache_hits), hits_before + (hit ? 1 : 0));
                if (hit) {
                    hits++;
                    for (i = 0; model[i].e != e; i++) assert_true(i < count);
                    assert_true(model[i].text == text && model[i].named == named && !(model[i].single && model[i].uses));
                } else {
                    misses++;
                    i = count++;
                    assert_true(count < 256);
                    model[i].text = text;
                    model[i].named = named;
                    model[i].uses = 0;
                    model[i].single = the_fake.single;
                    model[i].e = e;
                }
                model[i].uses++;
                model[i].stamp = ++stamp;
                assert_int_equal(e->uses, model[i].uses);
                held[held_count++].e = e;
            }
            while (limit && count > limit) { /* the oldest that is not in use */
                int oldest = -1;
                for (i = 0; i < count; i++) {
                    if (!model[i].uses && (oldest < 0 || model[i].stamp < model[oldest].stamp)) oldest = i;
                }
                if (oldest < 0) break;
                model[oldest] = model[--count];
                evictions++;
            }
            assert_int_equal(the_fake.live, count);
            check_cache(&b);
            if (limit) {
                const dbm__entry *e;
                assert_int_equal(b.c.cache->count, count);
                for (e = b.c.cache->newest; e; e = e->older) {
                    for (i = 0; i < count && model[i].e != e; i++) { }
                    assert_true(i < count);
                }
            }
        }
        assert_int_equal((long)dbm__load(&b.c.cache_hits), hits);
        assert_int_equal((long)dbm__load(&b.c.cache_misses), misses);
        assert_int_equal((long)dbm__load(&b.c.cache_evictions), evictions);
        while (held_count) give(&b, held[--held_count].e);
        bench_end(&b);
        assert_int_equal(the_fake.live, 0);
        assert_int_equal(the_fake.prepared, the_fake.unprepared);
    }
#undef DRAW
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_oldest_goes),
        cmocka_unit_test(test_all_in_use),
        cmocka_unit_test(test_shared_and_single),
        cmocka_unit_test(test_not_kept),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_warm),
        cmocka_unit_test(test_nth_allocation),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
