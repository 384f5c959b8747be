/* Models on real SQLite databases: tables made, structs written and read back, every refusal with its status and message. */
#include "dbm_test.h"
#include <limits.h>

typedef struct user {
    int64_t id;
    const char *name;
    int age;
    bool admin;
} user;
DBM_MODEL(user, "users", DBM_KEY(id), DBM_FIELD(name, DBM_NOT_NULL | DBM_UNIQUE), DBM_FIELD(age), DBM_FIELD(admin));

typedef struct every {
    int32_t id;
    signed char i8;
    short i16;
    int i32;
    long long i64;
    unsigned char u8;
    unsigned short u16;
    unsigned u32;
    unsigned long long u64;
    float f;
    double d;
    bool b;
    char *text;
    const char *fixed_text;
    char name[8];
    dbm_bytes blob;
    dbm_optional_int maybe_int;
    dbm_optional_double maybe_double;
    dbm_optional_bool maybe_bool;
} every;
DBM_MODEL(every, "every kind", DBM_KEY(id), DBM_FIELD(i8), DBM_FIELD(i16), DBM_FIELD(i32), DBM_FIELD(i64), DBM_FIELD(u8), DBM_FIELD(u16),
          DBM_FIELD(u32), DBM_FIELD(u64), DBM_FIELD(f), DBM_FIELD(d), DBM_FIELD(b), DBM_FIELD(text), DBM_FIELD(fixed_text), DBM_FIELD(name),
          DBM_FIELD(blob), DBM_FIELD(maybe_int), DBM_FIELD(maybe_double), DBM_FIELD(maybe_bool));

typedef struct point { int x, y; double height; } point;
DBM_MODEL(point, "points", DBM_KEY(x), DBM_KEY(y), DBM_FIELD(height));

typedef struct tag { char word[12]; int uses; } tag;
DBM_MODEL(tag, "tags", DBM_KEY(word), DBM_FIELD(uses));

typedef struct tiny { int8_t id; } tiny;
DBM_MODEL(tiny, "tiny", DBM_KEY(id));

typedef struct keyword { int64_t order; int group; char where[16]; } keyword;
DBM_MODEL(keyword, "select \"from\"", DBM_KEY(order), DBM_FIELD(group), DBM_FIELD(where));

static test_dir dir;
static dbm_manager *mgr;
static dbm_database *db;
static test_log log_lines;

static int open_all(void **state) {
    dbm_config config;
    dbm_options options;
    (void)state;
    test_dir_make(&dir);
    test_log_clear(&log_lines);
    memset(&config, 0, sizeof config);
    memset(&options, 0, sizeof options);
    options.log = test_log_hook;
    options.log_ud = &log_lines;
    config.url = test_dir_url(&dir, "models.db");
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, &config), DBM_OK);
    db = dbm_get(mgr, NULL);
    assert_non_null(db);
    return 0;
}

static int close_all(void **state) {
    (void)state;
    dbm_manager_free(mgr);
    test_dir_remove(&dir);
    assert_int_equal(test_log_count(&log_lines, DBM_EVENT_LEFT_EARLY), 0); /* no call leaves its own session early */
    return 0;
}

static const dbm_model *const all_models[] = { &user_model, &every_model, &point_model, &tag_model, &tiny_model, &keyword_model };

static void create_tables(void) { assert_int_equal(dbm_create_all(db, all_models, sizeof all_models / sizeof all_models[0]), DBM_OK); }

static user person(const char *name, int age) {
    user u;
    memset(&u, 0, sizeof u);
    u.name = name;
    u.age = age;
    return u;
}

static void assert_says(const char *part) {
    const char *message = dbm_last_error()->message;
    if (strstr(message, part) == NULL) fail_msg("the message is '%s', without '%s'", message, part);
}

static int64_t count_of(const char *sql) {
    int64_t n = -1;
    DBM_SESSION_ON(db, s) DBM_EACH(s, row, sql) n = dbm_row_int(row, 0);
    return n;
}

/* ---- tables ---- */

static void tables_are_made(void **state) {
    dbm_status rc = DBM_OK;
    (void)state;
    create_tables();
    create_tables(); /* a second time changes nothing */
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_row *row = NULL;
        dbm_query_one(s, &row, "SELECT sql FROM sqlite_master WHERE name = ?", "users");
        assert_string_equal(dbm_row_text(row, 0), "CREATE TABLE \"users\" (\"id\" INTEGER PRIMARY KEY, \"name\" TEXT NOT NULL UNIQUE, "
                                                  "\"age\" INTEGER NOT NULL, \"admin\" BOOLEAN NOT NULL)");
        dbm_query_one(s, &row, "SELECT sql FROM sqlite_master WHERE name = ?", "points");
        assert_string_equal(dbm_row_text(row, 0), "CREATE TABLE \"points\" (\"x\" INTEGER NOT NULL, \"y\" INTEGER NOT NULL, "
                                                  "\"height\" REAL NOT NULL, PRIMARY KEY (\"x\", \"y\"))");
        dbm_query_one(s, &row, "SELECT sql FROM sqlite_master WHERE name = ?", "tags");
        assert_string_equal(dbm_row_text(row, 0), "CREATE TABLE \"tags\" (\"word\" TEXT NOT NULL PRIMARY KEY, \"uses\" INTEGER NOT NULL)");
        dbm_query_one(s, &row, "SELECT sql FROM sqlite_master WHERE name = ?", "select \"from\"");
        assert_string_equal(dbm_row_text(row, 0), "CREATE TABLE \"select \"\"from\"\"\" (\"order\" INTEGER PRIMARY KEY, "
                                                  "\"group\" INTEGER NOT NULL, \"where\" TEXT)");
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(dbm_create_all(db, NULL, 0), DBM_OK);
}

static void a_missing_column_is_told_with_its_cure(void **state) {
    const dbm_model *const models[] = { &tag_model, &user_model };
    dbm_error_info error;
    const char *cure;
    (void)state;
    assert_int_equal(dbm_exec(db, "CREATE TABLE USERS (ID INTEGER PRIMARY KEY, Name TEXT)"), DBM_OK);
    assert_int_equal(dbm_create_all(db, models, 2), DBM_E_UNKNOWN_NAME);
    assert_says("table 'users' has no column 'age'");
    assert_says("lacks 1 more");
    assert_says("never alters");
    error = *dbm_last_error();
    assert_non_null(strstr(error.site, "test_models.c:"));
    assert_int_equal(count_of("SELECT count(*) FROM sqlite_master WHERE name = 'tags'"), 0); /* all or nothing */
    cure = strstr(error.message, "ALTER TABLE");
    assert_non_null(cure);
    assert_string_equal(cure, "ALTER TABLE \"users\" ADD COLUMN \"age\" INTEGER NOT NULL DEFAULT 0; "
                              "ALTER TABLE \"users\" ADD COLUMN \"admin\" BOOLEAN NOT NULL DEFAULT FALSE");
    assert_int_equal(dbm_exec(db, "INSERT INTO users(id, name) VALUES (1, 'Ada')"), DBM_OK);
    assert_int_equal(dbm_script(db, cure), DBM_OK);
    assert_int_equal(dbm_create_all(db, models, 2), DBM_OK);
    {
        user *found = NULL;
        size_t n = 0;
        assert_int_equal(dbm_query_all(db, &user_model, &found, &n, ""), DBM_OK);
        assert_int_equal(n, 1);
        assert_int_equal(found[0].age, 0);
        assert_false(found[0].admin);
        dbm_free(found);
    }
    assert_int_equal(dbm_exec(db, "CREATE TABLE points (x INTEGER PRIMARY KEY, height REAL)"), DBM_OK);
    {
        const dbm_model *const keyless[] = { &point_model };
        assert_int_equal(dbm_create_all(db, keyless, 1), DBM_E_UNKNOWN_NAME);
        assert_says("no column 'y', which is a key");
    }
    assert_int_equal(dbm_exec(db, "DROP TABLE users"), DBM_OK);
    assert_int_equal(dbm_exec(db, "CREATE TABLE users (id INTEGER PRIMARY KEY, age INT, admin INT)"), DBM_OK);
    assert_int_equal(dbm_create_all(db, models, 2), DBM_E_UNKNOWN_NAME);
    cure = strstr(dbm_last_error()->message, "ALTER TABLE");
    assert_non_null(cure);
    error = *dbm_last_error();
    assert_int_equal(dbm_script(db, strstr(error.message, "ALTER TABLE")), DBM_OK);
    assert_int_equal(dbm_create_all(db, models, 2), DBM_OK);
}

/* ---- round trips ---- */

static void every_type_comes_back(void **state) {
    static const unsigned char bytes[] = { 0, 1, 0xFF, 0 };
    char text[] = "h\xC3\xA4ng";
    every low, high, got;
    dbm_status rc = DBM_OK;
    (void)state;
    create_tables();
    memset(&low, 0, sizeof low);
    low.i8 = SCHAR_MIN; low.i16 = SHRT_MIN; low.i32 = INT_MIN; low.i64 = LLONG_MIN;
    low.f = -1.5f; low.d = -0.1;
    memset(&high, 0, sizeof high);
    high.id = 70; high.i8 = SCHAR_MAX; high.i16 = SHRT_MAX; high.i32 = INT_MAX; high.i64 = LLONG_MAX;
    high.u8 = UCHAR_MAX; high.u16 = USHRT_MAX; high.u32 = UINT_MAX; high.u64 = (unsigned long long)INT64_MAX;
    high.f = 3.25e38f; high.d = 1.7976931348623157e308; high.b = true;
    high.text = text; high.fixed_text = "";
    memcpy(high.name, "1234567", 8);
    high.blob.data = bytes; high.blob.size = sizeof bytes;
    high.maybe_int.has = true; high.maybe_int.value = -7;
    high.maybe_double.has = true; high.maybe_double.value = 2.5;
    high.maybe_bool.has = true; high.maybe_bool.value = true;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_insert_struct(s, &every_model, &high), DBM_OK);
        assert_int_equal(high.id, 70);
        assert_int_equal(dbm_insert_struct(s, &every_model, &low), DBM_OK);
        assert_int_equal(low.id, 71);

        memset(&got, 0x5A, sizeof got);
        assert_int_equal(dbm_find(s, &every_model, &got, 70), DBM_OK);
        assert_int_equal(got.id, 70);
        assert_int_equal(got.i8, SCHAR_MAX);
        assert_int_equal(got.i16, SHRT_MAX);
        assert_int_equal(got.i32, INT_MAX);
        assert_true(got.i64 == LLONG_MAX);
        assert_int_equal(got.u8, UCHAR_MAX);
        assert_int_equal(got.u16, USHRT_MAX);
        assert_true(got.u32 == UINT_MAX);
        assert_true(got.u64 == (unsigned long long)INT64_MAX);
        assert_memory_equal(&got.f, &high.f, sizeof got.f);
        assert_memory_equal(&got.d, &high.d, sizeof got.d);
        assert_true(got.b);
        assert_string_equal(got.text, text);
        assert_non_null(got.fixed_text);
        assert_string_equal(got.fixed_text, "");
        assert_string_equal(got.name, "1234567");
        assert_int_equal(got.blob.size, sizeof bytes);
        assert_memory_equal(got.blob.data, bytes, sizeof bytes);
        assert_true(got.maybe_int.has && got.maybe_int.value == -7);
        assert_true(got.maybe_double.has && got.maybe_double.value > 2.4 && got.maybe_double.value < 2.6);
        assert_true(got.maybe_bool.has && got.maybe_bool.value);

        memset(&got, 0x5A, sizeof got);
        assert_int_equal(dbm_find(s, &every_model, &got, low.id), DBM_OK);
        assert_int_equal(got.i8, SCHAR_MIN);
        assert_int_equal(got.i16, SHRT_MIN);
        assert_int_equal(got.i32, INT_MIN);
        assert_true(got.i64 == LLONG_MIN);
        assert_true(got.u64 == 0);
        assert_memory_equal(&got.f, &low.f, sizeof got.f);
        assert_memory_equal(&got.d, &low.d, sizeof got.d);
        assert_false(got.b);
        assert_null(got.text);
        assert_null(got.fixed_text);
        assert_string_equal(got.name, "");
        assert_null(got.blob.data);
        assert_int_equal(got.blob.size, 0);
        assert_false(got.maybe_int.has);
        assert_false(got.maybe_double.has);
        assert_false(got.maybe_bool.has);
    }
    assert_int_equal(rc, DBM_OK);
}

static void keys_are_generated(void **state) {
    user u = person("Ada", 36);
    tiny t = { 0 };
    dbm_status rc = DBM_OK;
    (void)state;
    create_tables();
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_insert_struct(s, &user_model, &u), DBM_OK);
        assert_int_equal(u.id, 1);
        u = person("Bob", 40);
        u.id = 50;
        assert_int_equal(dbm_insert_struct(s, &user_model, &u), DBM_OK);
        assert_int_equal(u.id, 50);
        u = person("Cid", 41);
        assert_int_equal(dbm_insert_struct(s, &user_model, &u), DBM_OK);
        assert_int_equal(u.id, 51);
        assert_int_equal(dbm_insert_struct(s, &tiny_model, &t), DBM_OK); /* nothing but its key */
        assert_int_equal(t.id, 1);
        t.id = 127;
        assert_int_equal(dbm_insert_struct(s, &tiny_model, &t), DBM_OK);
        t.id = -3;
        assert_int_equal(dbm_insert_struct(s, &tiny_model, &t), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    t.id = 0;
    assert_int_equal(dbm_insert_struct(db, &tiny_model, &t), DBM_E_RANGE); /* 128 */
    assert_says("128 does not fit int8_t");
    assert_says("'tiny'");
    assert_int_equal(t.id, 0);
    assert_int_equal(count_of("SELECT count(*) FROM tiny"), 3); /* rolled back */
    u = person("Ada", 1);
    assert_int_equal(dbm_insert_struct(db, &user_model, &u), DBM_E_CONSTRAINT);
    assert_int_equal(dbm_last_error()->constraint, DBM_CONSTRAINT_UNIQUE);
    assert_int_equal(u.id, 0);
}

static void rows_are_updated_and_deleted(void **state) {
    user u = person("Ada", 36), other;
    dbm_status rc = DBM_OK;
    (void)state;
    create_tables();
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        dbm_insert_struct(s, &user_model, &u);
        other = person("Bob", 20);
        dbm_insert_struct(s, &user_model, &other);
        u.age = 37;
        u.admin = true;
        assert_int_equal(dbm_update_struct(s, &user_model, &u), DBM_OK);
        other.id = 999;
        assert_int_equal(dbm_update_struct(s, &user_model, &other), DBM_E_NOT_FOUND);
        assert_says("table 'users' has no row with the key 999");
        assert_int_equal(dbm_delete_struct(s, &user_model, &other), DBM_E_NOT_FOUND);
        assert_int_equal(dbm_find(s, &user_model, &other, 999), DBM_E_NOT_FOUND);
        assert_says("999");
        assert_int_equal(other.id, 999); /* left as it was */
        assert_int_equal(dbm_status_of(s), DBM_OK); /* none of it stuck */
        assert_int_equal(dbm_find(s, &user_model, &other, u.id), DBM_OK);
        assert_int_equal(other.age, 37);
        assert_true(other.admin);
        assert_int_equal(dbm_delete_struct(s, &user_model, &u), DBM_OK);
        assert_int_equal(dbm_find(s, &user_model, &other, u.id), DBM_E_NOT_FOUND);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(count_of("SELECT count(*) FROM users"), 1);
    assert_int_equal(dbm_delete_struct(db, &user_model, &u), DBM_E_NOT_FOUND);
    assert_int_equal(dbm_last_error()->status, DBM_E_NOT_FOUND);
    assert_string_equal(dbm_last_error()->database, "default");
}

static void keys_of_several_fields(void **state) {
    point p = { 0, 0, 1.5 }, q;
    (void)state;
    create_tables();
    assert_int_equal(dbm_insert_struct(db, &point_model, &p), DBM_OK); /* 0 is a key like any other here */
    p.y = 1;
    p.height = 2.5;
    assert_int_equal(dbm_insert_struct(db, &point_model, &p), DBM_OK);
    assert_int_equal(dbm_insert_struct(db, &point_model, &p), DBM_E_CONSTRAINT);
    p.height = 9;
    assert_int_equal(dbm_update_struct(db, &point_model, &p), DBM_OK);
    assert_int_equal(count_of("SELECT sum(height * 2) FROM points"), 21);
    assert_int_equal(dbm_find(db, &point_model, &q, 0), DBM_E_MISUSE);
    assert_says("key of 2 fields");
    assert_says("dbm_query_all");
    assert_int_equal(dbm_delete_struct(db, &point_model, &p), DBM_OK);
    assert_int_equal(count_of("SELECT count(*) FROM points"), 1);
    assert_int_equal(dbm_delete_struct(db, &point_model, &p), DBM_E_NOT_FOUND);
    assert_says("no row with this key");
}

static void keys_of_text_and_odd_names(void **state) {
    tag t = { "word", 3 }, got;
    keyword k = { 0, 4, "here" }, back;
    (void)state;
    create_tables();
    assert_int_equal(dbm_insert_struct(db, &tag_model, &t), DBM_OK);
    assert_int_equal(dbm_find(db, &tag_model, &got, "word"), DBM_OK);
    assert_int_equal(got.uses, 3);
    assert_int_equal(dbm_find(db, &tag_model, &got, "secret"), DBM_E_NOT_FOUND);
    assert_null(strstr(dbm_last_error()->message, "secret"));
    assert_int_equal(dbm_find(db, &tag_model, &got, NULL), DBM_E_NOT_FOUND);
    assert_int_equal(dbm_insert_struct(db, &keyword_model, &k), DBM_OK);
    assert_int_equal(dbm_find(db, &keyword_model, &back, k.order), DBM_OK);
    assert_int_equal(back.group, 4);
    assert_string_equal(back.where, "here");
    k.group = 5;
    assert_int_equal(dbm_update_struct(db, &keyword_model, &k), DBM_OK);
    assert_int_equal(dbm_delete_struct(db, &keyword_model, &k), DBM_OK);
}

/* ---- on a database, without a session ---- */

static void calls_on_a_database(void **state) {
    user u = person("Ada", 36), *all = NULL;
    size_t n = 77;
    (void)state;
    create_tables();
    assert_int_equal(dbm_insert_struct(db, &user_model, &u), DBM_OK);
    assert_int_equal(u.id, 1);
    u.age = 40;
    assert_int_equal(dbm_update_struct(db, &user_model, &u), DBM_OK);
    assert_int_equal(dbm_find(db, &user_model, &u, 1), DBM_E_MISUSE);
    assert_says("without char *");
    assert_says("'name'");
    assert_int_equal(dbm_query_all(db, &user_model, &all, &n, "WHERE age = ?", 40), DBM_OK);
    assert_int_equal(n, 1);
    assert_string_equal(all[0].name, "Ada");
    dbm_free(all);
    DBM_SESSION(mgr, NULL, s) { /* joins the block of this thread: one transaction */
        u = person("Bob", 1);
        dbm_insert_struct(db, &user_model, &u);
        assert_int_equal(u.id, 2);
        dbm_rollback(s);
    }
    assert_int_equal(count_of("SELECT count(*) FROM users"), 1);
    {
        dbm_stats_info stats;
        assert_int_equal(dbm_stats(db, &stats), DBM_OK);
        assert_int_equal(stats.out, 0);
    }
}

/* ---- query_all ---- */

typedef struct letter { int64_t id; const char *text; dbm_bytes body; double weight; } letter;
DBM_MODEL(letter, "letters", DBM_KEY(id), DBM_FIELD(text), DBM_FIELD(body), DBM_FIELD(weight));

static void many_rows_in_one_block(void **state) {
    const dbm_model *const models[] = { &letter_model };
    char text[64];
    unsigned char body[64];
    letter l, *all = NULL;
    size_t n = 0, i, j;
    dbm_value third = dbm_int(3);
    dbm_status rc = DBM_OK;
    (void)state;
    third.name = "id";
    assert_int_equal(dbm_create_all(db, models, 1), DBM_OK);
    assert_int_equal(dbm_query_all(db, &letter_model, &all, &n, ""), DBM_OK);
    assert_null(all);
    assert_int_equal(n, 0);
    dbm_free(NULL);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        for (i = 0; i < 1000; i++) {
            memset(&l, 0, sizeof l);
            l.weight = (double)i;
            memset(text, 'a' + (int)(i % 26), sizeof text);
            memset(body, (int)(i & 255), sizeof body);
            text[i % 60] = 0;
            if (i % 3) l.text = text;
            if (i % 5) {
                l.body.data = body;
                l.body.size = i % 61;
            }
            dbm_insert_struct(s, &letter_model, &l);
        }
        assert_int_equal(dbm_query_all(s, &letter_model, &all, &n, "WHERE weight >= ? AND weight < ? ORDER BY id", 100, 900.0), DBM_OK);
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(n, 800);
    assert_int_equal((uintptr_t)all % sizeof(double), 0);
    for (i = 0; i < n; i++) {
        size_t k = i + 100;
        assert_int_equal(all[i].id, (int64_t)k + 1);
        assert_true(all[i].weight > (double)k - 0.5 && all[i].weight < (double)k + 0.5);
        if (k % 3) {
            assert_int_equal(strlen(all[i].text), k % 60);
            for (j = 0; j < k % 60; j++) assert_int_equal(all[i].text[j], 'a' + (int)(k % 26));
        } else {
            assert_null(all[i].text);
        }
        if (k % 5) {
            assert_non_null(all[i].body.data);
            assert_int_equal((uintptr_t)all[i].body.data % sizeof(double), 0);
            assert_int_equal(all[i].body.size, k % 61);
            for (j = 0; j < k % 61; j++) assert_int_equal(all[i].body.data[j], k & 255);
        } else {
            assert_null(all[i].body.data);
        }
    }
    dbm_free(all);
    assert_int_equal(dbm_query_all(db, &letter_model, &all, &n, "WHERE nothing = 1"), DBM_E_SQL);
    assert_null(all);
    assert_int_equal(n, 0);
    assert_int_equal(dbm_query_all(db, &letter_model, &all, &n, "WHERE id = :id", third), DBM_OK);
    assert_int_equal(n, 1);
    assert_int_equal(all[0].id, 3);
    dbm_free(all);
}

static void a_block_outlives_its_manager(void **state) {
    test_heap heap;
    dbm_options options;
    dbm_config config;
    dbm_manager *m = NULL;
    user u = person("Ada", 36), *all = NULL;
    size_t n = 0;
    const dbm_model *const models[] = { &user_model };
    (void)state;
    memset(&heap, 0, sizeof heap);
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    options.allocator = test_heap_allocator(&heap);
    config.url = "sqlite:///:memory:";
    assert_int_equal(dbm_manager_create(&m, &options), DBM_OK);
    assert_int_equal(dbm_add_database(m, &config), DBM_OK);
    assert_int_equal(dbm_create_all(dbm_get(m, NULL), models, 1), DBM_OK);
    assert_int_equal(dbm_insert_struct(dbm_get(m, NULL), &user_model, &u), DBM_OK);
    assert_int_equal(dbm_query_all(dbm_get(m, NULL), &user_model, &all, &n, ""), DBM_OK);
    dbm_manager_free(m);
    assert_int_equal(n, 1);
    assert_string_equal(all->name, "Ada");
    assert_int_equal(test_heap_live(&heap), 1);
    dbm_free(all);
    assert_int_equal(test_heap_live(&heap), 0);
}

/* ---- rows to structs ---- */

static void columns_are_matched_by_name(void **state) {
    user u;
    int rows = 0;
    dbm_status rc = DBM_OK;
    (void)state;
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        DBM_EACH(s, row, "SELECT 1 AS ADMIN, 'unused' AS extra, 42 AS Age, 9 AS id, 12.5 AS name UNION ALL SELECT 0, '', 43, 10, NULL") {
            assert_int_equal(dbm_scan_struct(row, &user_model, &u), DBM_OK);
            assert_int_equal(u.id, 9 + rows);
            assert_int_equal(u.age, 42 + rows);
            if (rows == 0) {
                assert_true(u.admin);
                assert_string_equal(u.name, "12.5"); /* a number, written out */
            } else {
                assert_false(u.admin);
                assert_null(u.name);
            }
            rows++;
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(rows, 2);
}

static void what_does_not_fit_is_named(void **state) {
    user u;
    tag t;
    dbm_status rc = DBM_OK;
    int bodies = 0;
    (void)state;
    create_tables();
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "SELECT 1 AS id, 'x' AS name, NULL AS age, 1 AS admin") {
        memset(&u, 0x5A, sizeof u);
        assert_int_equal(dbm_scan_struct(row, &user_model, &u), DBM_E_RANGE);
        assert_says("age");
        assert_says("NULL");
        assert_int_equal(u.age, 0); /* every field is written all the same */
        assert_string_equal(u.name, "x");
        assert_true(u.admin);
        assert_int_equal(u.id, 1);
        bodies++;
    }
    assert_int_equal(rc, DBM_E_RANGE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "SELECT 1 AS id, 'x' AS name, 5000000000 AS age, 1 AS admin") {
        memset(&u, 0x5A, sizeof u);
        assert_int_equal(dbm_scan_struct(row, &user_model, &u), DBM_E_RANGE);
        assert_says("5000000000 does not fit int32_t");
        assert_int_equal(u.age, 0);
        bodies++;
    }
    assert_int_equal(rc, DBM_E_RANGE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "SELECT 1 AS id, 'x' AS name, 1 AS admin") {
        memset(&u, 0x5A, sizeof u);
        assert_int_equal(dbm_scan_struct(row, &user_model, &u), DBM_E_UNKNOWN_NAME);
        assert_says("age");
        assert_int_equal(u.age, 0);
        assert_true(u.admin);
        bodies++;
    }
    assert_int_equal(rc, DBM_E_UNKNOWN_NAME);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "SELECT '123456789012' AS word, 1 AS uses") {
        assert_int_equal(dbm_scan_struct(row, &tag_model, &t), DBM_E_RANGE);
        assert_says("char[12]");
        assert_string_equal(t.word, "12345678901");
        bodies++;
    }
    assert_int_equal(rc, DBM_E_RANGE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "SELECT 1 AS id, x'4100' AS name, 1 AS age, 1 AS admin") {
        assert_int_equal(dbm_scan_struct(row, &user_model, &u), DBM_E_RANGE);
        assert_says("dbm_bytes");
        bodies++;
    }
    assert_int_equal(rc, DBM_E_RANGE);
    DBM_SESSION_RC(mgr, NULL, s, &rc) DBM_EACH(s, row, "SELECT 1 AS id, CAST(x'410042' AS TEXT) AS name, 1 AS age, 1 AS admin") {
        assert_int_equal(dbm_scan_struct(row, &user_model, &u), DBM_E_RANGE);
        assert_says("byte 0 at 1");
        bodies++;
    }
    assert_int_equal(rc, DBM_E_RANGE);
    assert_int_equal(bodies, 6);
    /* Written by somebody else: the same on the way through dbm_find and dbm_query_all. */
    {
        every *all = NULL, one;
        size_t n = 1;
        assert_int_equal(dbm_exec(db, "INSERT INTO tags VALUES ('a', 1), ('b', 'many')"), DBM_OK);
        {
            tag *tags = NULL;
            assert_int_equal(dbm_query_all(db, &tag_model, &tags, &n, "ORDER BY word"), DBM_E_RANGE);
            assert_says("uses");
            assert_null(tags);
            assert_int_equal(n, 0);
        }
        assert_int_equal(dbm_find(db, &tag_model, &t, "b"), DBM_E_RANGE);
        assert_says("uses");
        assert_string_equal(t.word, "b");
        assert_int_equal(t.uses, 0);
        assert_int_equal(dbm_query_all(db, &every_model, &all, &n, ""), DBM_OK);
        assert_null(all);
        DBM_SESSION_RC(mgr, NULL, s, &rc) {
            assert_int_equal(dbm_find(s, &every_model, &one, 5), DBM_E_NOT_FOUND);
        }
        assert_int_equal(rc, DBM_OK);
    }
}

static void values_that_cannot_be_written(void **state) {
    tag t;
    every e;
    dbm_status rc = DBM_OK;
    (void)state;
    create_tables();
    memset(&t, 'x', sizeof t);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_insert_struct(s, &tag_model, &t), DBM_E_RANGE);
        assert_says("'word'");
        assert_says("char[12]");
        t.word[3] = 0;
        assert_int_equal(dbm_insert_struct(s, &tag_model, &t), DBM_E_RANGE); /* it sticks */
    }
    assert_int_equal(rc, DBM_E_RANGE);
    memset(&e, 0, sizeof e);
    e.u64 = (unsigned long long)INT64_MAX + 1;
    assert_int_equal(dbm_insert_struct(db, &every_model, &e), DBM_E_RANGE);
    memset(&e, 0, sizeof e);
    e.blob.size = 3;
    assert_int_equal(dbm_insert_struct(db, &every_model, &e), DBM_E_MISUSE);
    assert_says("'blob'");
    assert_int_equal(count_of("SELECT count(*) FROM \"every kind\""), 0);
}

/* A table without the column must not answer with the column's name as a text, as SQLite does for "name" that is none. */
static void a_column_that_is_gone_is_no_text(void **state) {
    user u = person("Ada", 1), *all = NULL;
    size_t n = 0;
    dbm_status rc = DBM_OK;
    (void)state;
    assert_int_equal(dbm_exec(db, "CREATE TABLE users (age INTEGER, admin INTEGER, id INTEGER)"), DBM_OK);
    assert_int_equal(dbm_exec(db, "INSERT INTO users VALUES (1, 1, 1)"), DBM_OK);
    assert_int_not_equal(dbm_query_all(db, &user_model, &all, &n, ""), DBM_OK);
    assert_says("name");
    assert_null(all);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_find(s, &user_model, &u, 1), DBM_E_UNKNOWN_NAME);
        assert_says("table 'users' lacks a column of model 'user': ");
        assert_says("name");
        assert_int_equal(dbm_status_of(s), DBM_E_UNKNOWN_NAME);
    }
    assert_int_equal(rc, DBM_E_UNKNOWN_NAME);
    assert_int_equal(dbm_exec(db, "DROP TABLE users"), DBM_OK);
    assert_int_equal(dbm_exec(db, "CREATE TABLE users (age INTEGER, admin INTEGER, name TEXT)"), DBM_OK);
    assert_int_equal(dbm_exec(db, "INSERT INTO users VALUES (1, 1, 'id')"), DBM_OK);
    u.id = 1;
    assert_int_not_equal(dbm_delete_struct(db, &user_model, &u), DBM_OK);
    assert_int_not_equal(dbm_last_error()->status, DBM_E_NOT_FOUND);
}

/* ---- models that are none ---- */

static void models_are_checked(void **state) {
    static const dbm_field no_key_fields[] = { { "a", DBM__TO_INT, 0, 4, 0 } };
    static const dbm_field twice_fields[] = { { "a", DBM__TO_INT, 0, 4, DBM_PRIMARY_KEY }, { "A", DBM__TO_INT, 0, 4, 0 } };
    static const dbm_field odd_fields[] = { { "a", DBM__TO_INT, 0, 4, DBM_PRIMARY_KEY }, { "odd", 0, 0, 4, 0 } };
    static const dbm_field outside_fields[] = { { "a", DBM__TO_INT, 2, 4, DBM_PRIMARY_KEY } };
    static const dbm_field maybe_fields[] = { { "a", DBM__TO_OPTIONAL_INT, 0, sizeof(dbm_optional_int), DBM_PRIMARY_KEY } };
    static const dbm_model no_key = { "no_key", "t", 4, no_key_fields, 1 };
    static const dbm_model twice = { "twice", "t", 4, twice_fields, 2 };
    static const dbm_model odd = { "odd", "t", 4, odd_fields, 2 };
    static const dbm_model outside = { "outside", "t", 4, outside_fields, 1 };
    static const dbm_model maybe = { "maybe", "t", sizeof(dbm_optional_int), maybe_fields, 1 };
    static const dbm_model empty = { "empty", "t", 4, no_key_fields, 0 };
    static const dbm_model no_table = { "no_table", NULL, 4, no_key_fields, 1 };
    static const dbm_model no_name = { NULL, "t", 4, no_key_fields, 1 };
    static const dbm_model large = { "large", "t", 4, no_key_fields, 65 };
    static const struct { const dbm_model *model; const char *says; } cases[] = {
        { &no_key, "model 'no_key' has no key" }, { &twice, "model 'twice' has the field 'A' twice" }, { &odd, "field 'odd' of model 'odd' has a type" },
        { &outside, "lies outside" }, { &maybe, "never NULL" }, { &empty, "no fields" }, { &no_table, "names no table" }, { &no_name, "no name" },
        { &large, "65 fields; 64 are allowed" }, { NULL, "the model is NULL" }
    };
    size_t i;
    int number = 1;
    int64_t wide = 0;
    user u = person("a", 1);
    tiny t = { 1 };
    dbm_status rc = DBM_OK;
    (void)state;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const dbm_model *const models[] = { &user_model, cases[i].model };
        assert_int_equal(dbm_create_all(db, models, 2), DBM_E_MISUSE);
        assert_says(cases[i].says);
    }
    assert_int_equal(count_of("SELECT count(*) FROM sqlite_master"), 0); /* nothing was made before the refusal */
    assert_int_equal(dbm_create_all(db, NULL, 1), DBM_E_MISUSE);
    assert_int_equal(dbm_update_struct(db, &no_key, &number), DBM_E_MISUSE);
    assert_int_equal(dbm_delete_struct(db, &no_key, &number), DBM_E_MISUSE);
    assert_says("dbm_delete_struct");
    assert_int_equal(dbm_find(db, &no_key, &number, 1), DBM_E_MISUSE);
    assert_int_equal(dbm_insert_struct(db, &user_model, &number), DBM_E_MISUSE);
    assert_says("bytes, but the one that was passed has 4");
    assert_int_equal(dbm_insert_struct(db, &no_key, &wide), DBM_E_MISUSE);
    assert_says("a struct of 4 bytes, but the one that was passed has 8");
    assert_int_equal(dbm_insert_struct(db, &user_model, (user *)NULL), DBM_E_MISUSE);
    assert_int_equal(dbm_update_struct(db, &tiny_model, &t), DBM_E_MISUSE);
    assert_says("no field besides its key");
    {
        user *all = &u;
        size_t n = 5;
        assert_int_equal(dbm_query_all(db, &user_model, &all, &n, (const char *)NULL), DBM_E_MISUSE);
        assert_null(all);
        assert_int_equal(n, 0);
        assert_int_equal(dbm_query_all(db, &user_model, &all, NULL, ""), DBM_E_MISUSE);
        assert_int_equal(dbm_query_all(db, &user_model, (user **)NULL, &n, ""), DBM_E_MISUSE);
    }
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        assert_int_equal(dbm_insert_struct(s, &user_model, &number), DBM_E_MISUSE);
        assert_int_equal(dbm_exec(s, "CREATE TABLE never (a)"), DBM_E_MISUSE); /* it sticks */
    }
    assert_int_equal(rc, DBM_E_MISUSE);
}

static void calls_on_nothing(void **state) {
    user u = person("a", 1), *all = &u;
    size_t n = 3;
    dbm_session s;
    const dbm_model *const models[] = { &user_model };
    (void)state;
    assert_int_not_equal(dbm_insert_struct((dbm_database *)NULL, &user_model, &u), DBM_OK);
    assert_int_not_equal(dbm_insert_struct((dbm_session *)NULL, &user_model, &u), DBM_OK);
    assert_int_not_equal(dbm_create_all((dbm_session *)NULL, models, 1), DBM_OK);
    assert_int_not_equal(dbm_find((dbm_session *)NULL, &user_model, &u, 1), DBM_OK);
    assert_int_not_equal(dbm_query_all((dbm_database *)NULL, &user_model, &all, &n, ""), DBM_OK);
    assert_null(all);
    assert_int_equal(n, 0);
    memset(&u, 0x5A, sizeof u);
    assert_int_not_equal(dbm_scan_struct((dbm_row *)NULL, &user_model, &u), DBM_OK);
    assert_int_equal(u.age, 0);
    assert_null(u.name);
    assert_int_equal(dbm_session_begin(db, NULL, &s), DBM_OK);
    {
        dbm_session copy = s;
        (void)dbm_session_end(&s);
        assert_int_equal(dbm_insert_struct(&copy, &user_model, &u), DBM_E_MISUSE);
        assert_int_equal(dbm_update_struct(&copy, &user_model, &u), DBM_E_MISUSE);
        assert_int_equal(dbm_find(&copy, &user_model, &u, 1), DBM_E_MISUSE);
    }
}

/* ---- wide models ---- */

static void sixty_four_fields(void **state) {
    static char names[64][40];
    dbm_field fields[64];
    dbm_model wide;
    const dbm_model *models[1];
    struct { int64_t values[64]; } record, got;
    int i;
    (void)state;
    for (i = 0; i < 64; i++) {
        snprintf(names[i], sizeof names[i], "a_long_name_for_a_column_%d", i);
        fields[i].name = names[i];
        fields[i].kind = DBM__TO_INT;
        fields[i].offset = (size_t)i * sizeof(int64_t);
        fields[i].size = sizeof(int64_t);
        fields[i].flags = i == 63 ? (unsigned)DBM_PRIMARY_KEY : 0u;
        record.values[i] = i * 100;
    }
    wide.name = "wide";
    wide.table = "a table with a long name";
    wide.size = sizeof record;
    wide.fields = fields;
    wide.field_count = 64;
    models[0] = &wide;
    assert_int_equal(dbm_create_all(db, models, 1), DBM_OK);
    assert_int_equal(dbm_insert_struct(db, &wide, &record), DBM_OK);
    record.values[0] = -1;
    assert_int_equal(dbm_update_struct(db, &wide, &record), DBM_OK);
    assert_int_equal(dbm_find(db, &wide, &got, 6300), DBM_OK);
    assert_memory_equal(&record, &got, sizeof got);
    assert_int_equal(dbm_delete_struct(db, &wide, &record), DBM_OK);
}

static void statements_are_found_again(void **state) {
    dbm_stats_info before, after;
    user u, got;
    int i;
    dbm_status rc = DBM_OK;
    (void)state;
    create_tables();
    u = person("first", 1);
    assert_int_equal(dbm_insert_struct(db, &user_model, &u), DBM_OK);
    assert_int_equal(dbm_update_struct(db, &user_model, &u), DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) dbm_find(s, &user_model, &got, 1);
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(dbm_stats(db, &before), DBM_OK);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        for (i = 0; i < 20; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%d", i);
            u = person(name, i);
            dbm_insert_struct(s, &user_model, &u);
            dbm_update_struct(s, &user_model, &u);
            dbm_find(s, &user_model, &got, u.id);
        }
    }
    assert_int_equal(rc, DBM_OK);
    assert_int_equal(dbm_stats(db, &after), DBM_OK);
    assert_int_equal(after.cache_misses, before.cache_misses);
    assert_true(after.cache_hits >= before.cache_hits + 60);
}

/* ---- the n-th allocation fails, for every n ---- */

static void memory_may_run_out_anywhere(void **state) {
    test_heap heap;
    dbm_options options;
    dbm_config config;
    dbm_manager *m = NULL;
    dbm_database *d;
    const dbm_model *const models[] = { &letter_model, &every_model };
    letter l, *all = NULL;
    every e, got;
    size_t count = 0;
    long n, misses = 0;
    (void)state;
    memset(&heap, 0, sizeof heap);
    memset(&options, 0, sizeof options);
    memset(&config, 0, sizeof config);
    options.allocator = test_heap_allocator(&heap);
    config.url = "sqlite:///:memory:";
    config.statement_cache = -1;
    assert_int_equal(dbm_manager_create(&m, &options), DBM_OK);
    assert_int_equal(dbm_add_database(m, &config), DBM_OK);
    d = dbm_get(m, NULL);
    assert_non_null(d);
    assert_int_equal(dbm_exec(d, "SELECT 1"), DBM_OK);
    for (n = 1; n < 500; n++) {
        dbm_status st;
        test_heap_fail(&heap, n);
        st = dbm_create_all(d, models, 2);
        test_heap_fail(&heap, 0);
        if (st == DBM_OK) break;
        assert_int_equal(st, DBM_E_NOMEM);
        misses++;
    }
    assert_true(n > 1 && n < 500);
    memset(&e, 0, sizeof e);
    memset(&l, 0, sizeof l);
    l.text = "a text that takes some room";
    l.body.data = (const unsigned char *)"bytes";
    l.body.size = 5;
    for (n = 0; n < 40; n++) {
        l.id = 0;
        assert_int_equal(dbm_insert_struct(d, &letter_model, &l), DBM_OK);
    }
    for (n = 1; n < 500; n++) {
        dbm_status st;
        e.id = 0;
        test_heap_fail(&heap, n);
        st = dbm_insert_struct(d, &every_model, &e);
        if (st == DBM_OK) st = dbm_update_struct(d, &every_model, &e);
        if (st == DBM_OK) {
            DBM_SESSION_ON(d, s) st = dbm_find(s, &every_model, &got, e.id);
        }
        test_heap_fail(&heap, 0);
        if (st == DBM_OK) break;
        assert_int_equal(st, DBM_E_NOMEM);
        misses++;
    }
    assert_true(n > 1 && n < 500);
    for (n = 1; n < 500; n++) {
        dbm_status st;
        test_heap_fail(&heap, n);
        st = dbm_query_all(d, &letter_model, &all, &count, "ORDER BY id");
        test_heap_fail(&heap, 0);
        if (st == DBM_OK) break;
        assert_int_equal(st, DBM_E_NOMEM);
        assert_null(all);
        assert_int_equal(count, 0);
        misses++;
    }
    assert_true(n > 1 && n < 500);
    assert_int_equal(count, 40);
    assert_string_equal(all[39].text, l.text);
    dbm_free(all);
    assert_true(misses >= 3);
    dbm_manager_free(m);
    assert_int_equal(test_heap_live(&heap), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(tables_are_made), TEST(a_missing_column_is_told_with_its_cure), TEST(every_type_comes_back), TEST(keys_are_generated),
        TEST(rows_are_updated_and_deleted), TEST(keys_of_several_fields), TEST(keys_of_text_and_odd_names), TEST(calls_on_a_database),
        TEST(many_rows_in_one_block), TEST(a_block_outlives_its_manager), TEST(columns_are_matched_by_name), TEST(what_does_not_fit_is_named),
        TEST(values_that_cannot_be_written), TEST(a_column_that_is_gone_is_no_text), TEST(models_are_checked), TEST(calls_on_nothing),
        TEST(sixty_four_fields), TEST(statements_are_found_again), TEST(memory_may_run_out_anywhere)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
