/* sql/values.c: arguments by codes, order of named values, conversions that keep everything or fail, timestamps, exact doubles. */
#include "dbm_test.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include <time.h>

/* DBM_TEST_ROUNDS multiplies the random part. */
static long rounds(long n) {
    const char *text = getenv("DBM_TEST_ROUNDS");
    return text && atol(text) > 0 ? n * atol(text) : n;
}
static uint64_t seed = 0x243F6A8885A308D3u;
static uint64_t draw(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x9E3779B97F4A7C15u;
}
static dbm_value of_type(dbm_type type, const char *text) {
    dbm_value v = dbm_textn(text, strlen(text));
    v.type = type;
    return v;
}
static dbm_value text_of(const char *text) { return of_type(DBM_TYPE_TEXT, text); }
static dbm_value named_int(const char *name, int64_t x) {
    dbm_value v = dbm_int(x);
    v.name = name;
    return v;
}

/* ---- arguments ----------------------------------------------------------------------------------------------------- */

static dbm_status read_values(dbm_value *out, int *count, bool *named, const char *codes, ...) {
    va_list ap;
    dbm_status st;
    va_start(ap, codes);
    st = dbm__values_read(out, count, named, codes, ap);
    va_end(ap);
    return st;
}

static void test_read(void **state) {
    dbm_value v[DBM__MAX_VALUES], named = named_int("n", 5);
    int count = -1;
    bool has_names = true;
    char codes[DBM__MAX_VALUES + 2];
    (void)state;
    assert_int_equal(read_values(v, &count, &has_names, ""), DBM_OK);
    assert_int_equal(count, 0);
    assert_false(has_names);
    assert_int_equal(read_values(v, &count, &has_names, "biulmqrdsspv", true, -7, 4000000000u, -8L, ULONG_MAX, LLONG_MIN, ULLONG_MAX, 1.5, "abc",
                                 (char *)NULL, (void *)NULL, dbm_text("defg")), DBM_OK);
    assert_int_equal(count, 12);
    assert_false(has_names);
    assert_int_equal(v[0].type, DBM_TYPE_BOOL);
    assert_int_equal(v[0].as.integer, 1);
    assert_int_equal(v[1].type, DBM_TYPE_INT);
    assert_int_equal(v[1].as.integer, -7);
    assert_int_equal(v[2].type, DBM_TYPE_INT);
    assert_true(v[2].as.integer == 4000000000);
    assert_int_equal(v[3].as.integer, -8);
    assert_int_equal(v[4].type, DBM_TYPE_UINT);
    assert_true(v[4].as.uinteger == ULONG_MAX);
    assert_true(v[5].as.integer == INT64_MIN);
    assert_int_equal(v[6].type, DBM_TYPE_UINT);
    assert_true(v[6].as.uinteger == UINT64_MAX);
    assert_int_equal(v[7].type, DBM_TYPE_DOUBLE);
    assert_true(v[7].as.real == 1.5);
    assert_int_equal(v[8].type, DBM_TYPE_TEXT);
    assert_string_equal(v[8].as.text.data, "abc");
    assert_int_equal(v[8].as.text.size, 3);
    assert_int_equal(v[9].type, DBM_TYPE_NULL);
    assert_int_equal(v[10].type, DBM_TYPE_NULL);
    assert_int_equal(v[11].type, DBM_TYPE_TEXT);
    assert_int_equal(v[11].as.text.size, 4);
    for (count = 0; count < 12; count++) assert_null(v[count].name);

    assert_int_equal(read_values(v, &count, &has_names, "vv", named, dbm_null()), DBM_OK);
    assert_true(has_names);
    assert_string_equal(v[0].name, "n");
    assert_int_equal(dbm__values_check(v, 2, "shop", "a.c:1"), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "value 2 has no name"));
    assert_string_equal(dbm_last_error()->database, "shop");
    assert_string_equal(dbm_last_error()->site, "a.c:1");

    assert_int_equal(read_values(v, &count, &has_names, "ipp", 1, (void *)&count, (void *)&count), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "value 2 is no value"));
    assert_int_equal(count, 3);
    assert_int_equal(v[1].type, DBM_TYPE_INVALID);
    assert_int_equal(dbm__values_check(v, count, "shop", "a.c:1"), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "value 2 is no value"));

    named.type = DBM_TYPE_TEXT;
    named.as.text.data = NULL; /* a text made by hand, without data */
    named.as.text.size = 3;
    assert_int_equal(read_values(v, &count, &has_names, "v", named), DBM_E_MISUSE);
    named.as.text.size = 0;
    assert_int_equal(read_values(v, &count, &has_names, "v", named), DBM_OK);
    assert_int_equal(v[0].type, DBM_TYPE_NULL);

    memset(codes, 'p', sizeof codes);
    codes[DBM__MAX_VALUES + 1] = 0;
    {
#define P8 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
        void *const n = NULL;
        (void)n;
        assert_int_equal(read_values(v, &count, &has_names, codes, P8, P8, P8, P8, P8, P8, P8, P8, NULL), DBM_E_LIMIT);
        assert_int_equal(count, 0);
        codes[DBM__MAX_VALUES] = 0;
        assert_int_equal(read_values(v, &count, &has_names, codes, P8, P8, P8, P8, P8, P8, P8, P8), DBM_OK);
        assert_int_equal(count, DBM__MAX_VALUES);
#undef P8
    }
}

static void test_check(void **state) {
    dbm_value v[4];
    (void)state;
    v[0] = dbm_text("abc");
    v[1] = dbm_blob("a\0b", 3);
    v[2] = dbm_text(NULL);
    v[3] = dbm_bool(true);
    v[3].as.integer = 9;
    assert_int_equal(dbm__values_check(v, 4, "", ""), DBM_OK);
    assert_int_equal(v[0].as.text.size, 3);
    assert_int_equal(v[1].as.text.size, 3);
    assert_int_equal(v[2].type, DBM_TYPE_NULL);
    assert_int_equal(v[3].as.integer, 1);
    v[0].as.text.data = NULL; /* a text made by hand, without data */
    assert_int_equal(dbm__values_check(v, 1, "", ""), DBM_E_MISUSE);
    v[0].as.text.size = 0;
    assert_int_equal(dbm__values_check(v, 1, "", ""), DBM_OK);
    assert_int_equal(v[0].type, DBM_TYPE_NULL);
    assert_int_equal(dbm__values_check(NULL, 0, "", ""), DBM_OK);
}

/* Names that come often: more placeholders than values. */
static void test_order_many(void **state) {
    dbm__place p[DBM__MAX_VALUES + 1];
    dbm_value in = named_int("a", 7), out[DBM__MAX_VALUES];
    dbm__entry e;
    int i;
    (void)state;
    memset(&e, 0, sizeof e);
    for (i = 0; i <= DBM__MAX_VALUES; i++) {
        p[i].name = "a";
        p[i].size = 1;
    }
    e.places = p;
    e.prepared.parameters = DBM__MAX_VALUES;
    assert_int_equal(dbm__values_order(&e, &in, 1, out, "", ""), DBM_OK);
    assert_int_equal(out[DBM__MAX_VALUES - 1].as.integer, 7);
    e.prepared.parameters++;
    assert_int_equal(dbm__values_order(&e, &in, 1, out, "", ""), DBM_E_LIMIT);
}

static dbm_status order(const char *const *names, int places, const dbm_value *in, int count, dbm_value *out) {
    dbm__entry e;
    dbm__place p[8];
    int i;
    memset(&e, 0, sizeof e);
    for (i = 0; i < places; i++) {
        p[i].name = names[i];
        p[i].size = strlen(names[i]);
    }
    e.places = p;
    e.prepared.parameters = places;
    return dbm__values_order(&e, in, count, out, "shop", "a.c:2");
}

static void test_order(void **state) {
    static const char *const names[] = { "id", "name", "id", "nam" };
    dbm_value in[3], out[8];
    (void)state;
    in[0] = named_int("name", 1);
    in[1] = named_int("nam", 2);
    in[2] = named_int("id", 3);
    assert_int_equal(order(names, 4, in, 3, out), DBM_OK);
    assert_int_equal(out[0].as.integer, 3);
    assert_int_equal(out[1].as.integer, 1);
    assert_int_equal(out[2].as.integer, 3);
    assert_int_equal(out[3].as.integer, 2);
    assert_null(out[0].name);
    assert_int_equal(order(names, -1, in, 3, out), DBM_OK); /* the backend's own language */
    assert_string_equal(out[1].name, "nam");

    assert_int_equal(order(names, 4, in, 2, out), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, ":id has no value"));
    assert_string_equal(dbm_last_error()->database, "shop");
    assert_string_equal(dbm_last_error()->site, "a.c:2");
    in[1].name = "nmae";
    assert_int_equal(order(names, 2, in, 3, out), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "'nmae' has no placeholder in the statement; did you mean 'name'?"));
    in[1].name = "zebra";
    assert_int_equal(order(names, 4, in, 3, out), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "'zebra' has no placeholder :zebra"));
    in[1].name = ":id";
    assert_int_equal(order(names, 4, in, 3, out), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "colon"));
    in[1].name = "id";
    assert_int_equal(order(names, 2, in, 3, out), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "two values are named 'id'"));
    in[1].name = NULL;
    assert_int_equal(order(names, 2, in, 3, out), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "value 2 has no name"));
    assert_int_equal(order(names, 0, in, 1, out), DBM_E_MISUSE);
    assert_int_equal(order(names, 0, in, 0, out), DBM_OK);
}

/* ---- numbers --------------------------------------------------------------------------------------------------------- */

#define EXPECT_INT(value, min, max, number) do { \
        dbm_value ei_v = value; int64_t ei_x = 77; dbm__why ei_why; \
        assert_int_equal(dbm__to_int(&ei_v, min, max, &ei_x, &ei_why), DBM_OK); \
        assert_true(ei_x == (number)); } while (0)
#define REFUSE_INT(value, min, max, reason) do { \
        dbm_value ri_v = value; int64_t ri_x = 77; dbm__why ri_why; \
        assert_int_equal(dbm__to_int(&ri_v, min, max, &ri_x, &ri_why), DBM_E_RANGE); \
        assert_true(ri_x == 0); \
        assert_string_equal(ri_why.text, reason); } while (0)

static void test_to_int(void **state) {
    dbm_value nothing = text_of("");
    (void)state;
    nothing.as.text.data = NULL;
    EXPECT_INT(dbm_int(127), INT8_MIN, INT8_MAX, 127);
    EXPECT_INT(dbm_int(INT64_MIN), INT64_MIN, INT64_MAX, INT64_MIN);
    EXPECT_INT(dbm_uint(INT64_MAX), INT64_MIN, INT64_MAX, INT64_MAX);
    EXPECT_INT(dbm_bool(true), INT8_MIN, INT8_MAX, 1);
    EXPECT_INT(dbm_timestamp(-5), INT64_MIN, INT64_MAX, -5);
    EXPECT_INT(text_of("-9223372036854775808"), INT64_MIN, INT64_MAX, INT64_MIN);
    EXPECT_INT(text_of("+0042"), INT8_MIN, INT8_MAX, 42);
    EXPECT_INT(text_of("-0"), INT8_MIN, INT8_MAX, 0);
    EXPECT_INT(of_type(DBM_TYPE_DECIMAL, "-5.00"), INT8_MIN, INT8_MAX, -5);
    EXPECT_INT(of_type(DBM_TYPE_JSON, "12"), INT8_MIN, INT8_MAX, 12);
    REFUSE_INT(dbm_null(), INT8_MIN, INT8_MAX, "is NULL");
    REFUSE_INT(dbm_int(300), INT8_MIN, INT8_MAX, "300 does not fit int8_t");
    REFUSE_INT(dbm_int(-32769), INT16_MIN, INT16_MAX, "-32769 does not fit int16_t");
    REFUSE_INT(dbm_uint(UINT64_MAX), INT64_MIN, INT64_MAX, "18446744073709551615 does not fit int64_t");
    REFUSE_INT(text_of("9223372036854775808"), INT64_MIN, INT64_MAX, "9223372036854775808 does not fit int64_t");
    REFUSE_INT(text_of("-9223372036854775809"), INT64_MIN, INT64_MAX, "-9223372036854775809 does not fit int64_t");
    REFUSE_INT(text_of("99999999999999999999999"), INT64_MIN, INT64_MAX, "99999999999999999999999 does not fit int64_t");
    REFUSE_INT(dbm_int(7), 0, 5, "7 is not within 0 to 5");
    REFUSE_INT(text_of("1.0"), INT8_MIN, INT8_MAX, "1.0 is not an integer");
    REFUSE_INT(of_type(DBM_TYPE_DECIMAL, "1.10"), INT8_MIN, INT8_MAX, "1.10 is not an integer");
    REFUSE_INT(of_type(DBM_TYPE_DECIMAL, "1."), INT8_MIN, INT8_MAX, "1. is not an integer");
    REFUSE_INT(of_type(DBM_TYPE_DECIMAL, ".0"), INT8_MIN, INT8_MAX, ".0 is not an integer");
    REFUSE_INT(text_of("secret"), INT8_MIN, INT8_MAX, "a text of 6 bytes is not an integer");
    REFUSE_INT(text_of(""), INT8_MIN, INT8_MAX, "a text of 0 bytes is not an integer");
    REFUSE_INT(nothing, INT8_MIN, INT8_MAX, "a text of 0 bytes is not an integer");
    REFUSE_INT(text_of("-"), INT8_MIN, INT8_MAX, "- is not an integer");
    REFUSE_INT(text_of(" 1"), INT8_MIN, INT8_MAX, "a text of 2 bytes is not an integer");
    REFUSE_INT(dbm_blob("12", 2), INT8_MIN, INT8_MAX, "a blob of 2 bytes is not an integer");
    REFUSE_INT(of_type(DBM_TYPE_UUID, "0"), INT8_MIN, INT8_MAX, "a UUID is not an integer");
#if DBM__FLOAT
    EXPECT_INT(dbm_double(-3.0), INT8_MIN, INT8_MAX, -3);
    EXPECT_INT(dbm_double(-0.0), INT8_MIN, INT8_MAX, 0);
    EXPECT_INT(dbm_double(-9223372036854775808.0), INT64_MIN, INT64_MAX, INT64_MIN);
    EXPECT_INT(dbm_double(9223372036854774784.0), INT64_MIN, INT64_MAX, 9223372036854774784);
    REFUSE_INT(dbm_double(9223372036854775808.0), INT64_MIN, INT64_MAX, "9.223372036854776e+18 does not fit int64_t");
    REFUSE_INT(dbm_double(1e300), INT64_MIN, INT64_MAX, "1e+300 does not fit int64_t");
    REFUSE_INT(dbm_double(1.5), INT8_MIN, INT8_MAX, "1.5 is not an integer");
    REFUSE_INT(dbm_double(-1e-300), INT8_MIN, INT8_MAX, "-1e-300 is not an integer");
    REFUSE_INT(dbm_double(HUGE_VAL), INT8_MIN, INT8_MAX, "inf is not an integer");
    REFUSE_INT(dbm_double(-HUGE_VAL), INT8_MIN, INT8_MAX, "-inf is not an integer");
    REFUSE_INT(dbm_double((double)NAN), INT8_MIN, INT8_MAX, "nan is not an integer");
#endif
}

#define EXPECT_UINT(value, max, number) do { \
        dbm_value eu_v = value; uint64_t eu_x = 77; dbm__why eu_why; \
        assert_int_equal(dbm__to_uint(&eu_v, max, &eu_x, &eu_why), DBM_OK); \
        assert_true(eu_x == (number)); } while (0)
#define REFUSE_UINT(value, max, reason) do { \
        dbm_value ru_v = value; uint64_t ru_x = 77; dbm__why ru_why; \
        assert_int_equal(dbm__to_uint(&ru_v, max, &ru_x, &ru_why), DBM_E_RANGE); \
        assert_true(ru_x == 0); \
        assert_string_equal(ru_why.text, reason); } while (0)

static void test_to_uint(void **state) {
    (void)state;
    EXPECT_UINT(dbm_int(255), UINT8_MAX, 255u);
    EXPECT_UINT(dbm_uint(UINT64_MAX), UINT64_MAX, UINT64_MAX);
    EXPECT_UINT(text_of("18446744073709551615"), UINT64_MAX, UINT64_MAX);
    EXPECT_UINT(of_type(DBM_TYPE_DECIMAL, "7.000"), UINT8_MAX, 7u);
    REFUSE_UINT(dbm_int(-1), UINT8_MAX, "-1 does not fit uint8_t");
    REFUSE_UINT(dbm_int(65536), UINT16_MAX, "65536 does not fit uint16_t");
    REFUSE_UINT(text_of("18446744073709551616"), UINT64_MAX, "18446744073709551616 does not fit uint64_t");
    REFUSE_UINT(dbm_null(), UINT64_MAX, "is NULL");
    REFUSE_UINT(text_of("x"), UINT64_MAX, "a text of 1 bytes is not an integer");
#if DBM__FLOAT
    EXPECT_UINT(dbm_double(18446744073709549568.0), UINT64_MAX, 18446744073709549568u);
    REFUSE_UINT(dbm_double(18446744073709551616.0), UINT64_MAX, "1.8446744073709552e+19 does not fit uint64_t");
    REFUSE_UINT(dbm_double(-0.5), UINT64_MAX, "-0.5 is not an integer");
#endif
}

#if DBM__FLOAT
#define EXPECT_DOUBLE(value, number) do { \
        dbm_value ed_v = value; double ed_x = 77; dbm__why ed_why; \
        assert_int_equal(dbm__to_double(&ed_v, &ed_x, &ed_why), DBM_OK); \
        assert_true(ed_x == (number)); } while (0)
#define REFUSE_DOUBLE(value, reason) do { \
        dbm_value rd_v = value; double rd_x = 77; dbm__why rd_why; \
        assert_int_equal(dbm__to_double(&rd_v, &rd_x, &rd_why), DBM_E_RANGE); \
        assert_true(rd_x == 0); \
        assert_string_equal(rd_why.text, reason); } while (0)

static void test_to_double(void **state) {
    (void)state;
    EXPECT_DOUBLE(dbm_double(1.5), 1.5);
    EXPECT_DOUBLE(dbm_int(-3), -3.0);
    EXPECT_DOUBLE(dbm_int(INT64_MIN), -9223372036854775808.0);
    EXPECT_DOUBLE(dbm_int(INT64_C(1) << 60), 1152921504606846976.0);
    EXPECT_DOUBLE(dbm_uint(UINT64_C(3) << 62), 13835058055282163712.0);
    EXPECT_DOUBLE(dbm_bool(true), 1.0);
    EXPECT_DOUBLE(text_of("-1.25e2"), -125.0);
    EXPECT_DOUBLE(of_type(DBM_TYPE_DECIMAL, "0.1"), 0.1);
    REFUSE_DOUBLE(dbm_int(INT64_C(9007199254740993)), "9007199254740993 would lose digits in a double");
    REFUSE_DOUBLE(dbm_int(INT64_MAX), "9223372036854775807 would lose digits in a double");
    REFUSE_DOUBLE(dbm_uint(UINT64_MAX), "18446744073709551615 would lose digits in a double");
    REFUSE_DOUBLE(text_of("1e999"), "1e999 is not a number that fits double");
    REFUSE_DOUBLE(text_of("1,5"), "a text of 3 bytes is not a number that fits double");
    REFUSE_DOUBLE(dbm_null(), "is NULL");
    REFUSE_DOUBLE(dbm_timestamp(0), "the timestamp 1970-01-01 00:00:00 is not a number");
    REFUSE_DOUBLE(dbm_blob("1", 1), "a blob of 1 bytes is not a number");
}
#endif

static void test_to_bool(void **state) {
    static const char *const yes[] = { "true", "T", "1", "YES", "on" }, *const no[] = { "False", "f", "0", "no", "OFF" };
    static const char *const neither[] = { "", "y", "2", "tru", "truee", " 1", "maybe" };
    dbm__why why;
    dbm_value v;
    bool x;
    size_t i;
    (void)state;
    for (i = 0; i < 5; i++) {
        v = text_of(yes[i]);
        assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_OK);
        assert_true(x);
        v = text_of(no[i]);
        assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_OK);
        assert_false(x);
    }
    for (i = 0; i < sizeof neither / sizeof neither[0]; i++) {
        x = true;
        v = text_of(neither[i]);
        assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_E_RANGE);
        assert_false(x);
    }
    v = dbm_int(1);
    assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_OK);
    assert_true(x);
    v = dbm_uint(0);
    assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_OK);
    assert_false(x);
    v = dbm_int(-1);
    assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_E_RANGE);
    assert_string_equal(why.text, "-1 is neither 0 nor 1");
    v = dbm_null();
    assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_E_RANGE);
    assert_string_equal(why.text, "is NULL");
    v = dbm_double(1);
    assert_int_equal(dbm__to_bool(&v, &x, &why), DBM_E_RANGE);
}

/* ---- texts ----------------------------------------------------------------------------------------------------------- */

static const char *shown(dbm_value v) {
    static char block[64];
    size_t size = 77;
    const char *text = dbm__to_text(&v, block, sizeof block, &size);
    assert_int_equal(strlen(text), size);
    return text;
}

static void test_to_text(void **state) {
    dbm_value blob = dbm_blob("a\0b", 3);
    char block[64];
    size_t size;
    (void)state;
    assert_string_equal(shown(dbm_null()), "");
    assert_string_equal(shown(dbm_int(INT64_MIN)), "-9223372036854775808");
    assert_string_equal(shown(dbm_uint(UINT64_MAX)), "18446744073709551615");
    assert_string_equal(shown(dbm_bool(true)), "true");
    assert_string_equal(shown(dbm_bool(false)), "false");
    assert_string_equal(shown(text_of("abc")), "abc");
    assert_string_equal(shown(of_type(DBM_TYPE_DECIMAL, "1.10")), "1.10");
    assert_string_equal(shown(dbm_timestamp(1)), "1970-01-01 00:00:00.000001");
#if DBM__FLOAT
    assert_string_equal(shown(dbm_double(0.1)), "0.1");
#endif
    assert_ptr_equal(dbm__to_text(&blob, block, sizeof block, &size), blob.as.text.data);
    assert_int_equal(size, 3);
}

/* ---- targets --------------------------------------------------------------------------------------------------------- */

static dbm__why why_target;
static dbm_status to_target(dbm_value v, int kind, size_t size, void *to) {
    static char block[64];
    dbm_target t = dbm__target(kind, size, to);
    return dbm__to_target(&v, &t, block, sizeof block, &why_target);
}

static void test_targets(void **state) {
    struct { int8_t i8; int16_t i16; int32_t i32; int64_t i64; uint8_t u8; uint16_t u16; uint32_t u32; uint64_t u64; } x;
    bool b = true;
    const char *text = "old";
    dbm_bytes bytes;
    dbm_value value;
    dbm_target target;
    dbm_optional_int oi;
    dbm_optional_bool ob;
    char cell[2];
    (void)state;
    memset(&x, 0x55, sizeof x);
    assert_int_equal(to_target(dbm_int(-128), DBM__TO_INT, 1, &x.i8), DBM_OK);
    assert_int_equal(to_target(dbm_int(-32768), DBM__TO_INT, 2, &x.i16), DBM_OK);
    assert_int_equal(to_target(dbm_int(INT32_MIN), DBM__TO_INT, 4, &x.i32), DBM_OK);
    assert_int_equal(to_target(dbm_int(INT64_MIN), DBM__TO_INT, 8, &x.i64), DBM_OK);
    assert_int_equal(to_target(dbm_int(255), DBM__TO_UINT, 1, &x.u8), DBM_OK);
    assert_int_equal(to_target(dbm_int(65535), DBM__TO_UINT, 2, &x.u16), DBM_OK);
    assert_int_equal(to_target(dbm_int(UINT32_MAX), DBM__TO_UINT, 4, &x.u32), DBM_OK);
    assert_int_equal(to_target(dbm_uint(UINT64_MAX), DBM__TO_UINT, 8, &x.u64), DBM_OK);
    assert_true(x.i8 == -128 && x.i16 == -32768 && x.i32 == INT32_MIN && x.i64 == INT64_MIN);
    assert_true(x.u8 == 255 && x.u16 == 65535 && x.u32 == UINT32_MAX && x.u64 == UINT64_MAX);
    /* each is written on failure too, and nothing beside it */
    cell[1] = 0x55;
    assert_int_equal(to_target(dbm_int(128), DBM__TO_INT, 1, cell), DBM_E_RANGE);
    assert_int_equal(cell[0], 0);
    assert_int_equal(cell[1], 0x55);
    assert_string_equal(why_target.text, "128 does not fit int8_t");
    assert_int_equal(to_target(dbm_null(), DBM__TO_INT, 2, &x.i16), DBM_E_RANGE);
    assert_int_equal(to_target(dbm_int(INT64_C(1) << 31), DBM__TO_INT, 4, &x.i32), DBM_E_RANGE);
    assert_int_equal(to_target(text_of("x"), DBM__TO_INT, 8, &x.i64), DBM_E_RANGE);
    assert_int_equal(to_target(dbm_int(-1), DBM__TO_UINT, 1, &x.u8), DBM_E_RANGE);
    assert_int_equal(to_target(dbm_int(65536), DBM__TO_UINT, 2, &x.u16), DBM_E_RANGE);
    assert_int_equal(to_target(dbm_int(INT64_C(1) << 32), DBM__TO_UINT, 4, &x.u32), DBM_E_RANGE);
    assert_int_equal(to_target(dbm_int(-1), DBM__TO_UINT, 8, &x.u64), DBM_E_RANGE);
    assert_true(!x.i16 && !x.i32 && !x.i64 && !x.u8 && !x.u16 && !x.u32 && !x.u64);

    assert_int_equal(to_target(dbm_int(2), DBM__TO_BOOL, sizeof b, &b), DBM_E_RANGE);
    assert_false(b);
    assert_int_equal(to_target(dbm_int(1), DBM__TO_BOOL, sizeof b, &b), DBM_OK);
    assert_true(b);

    assert_int_equal(to_target(dbm_null(), DBM__TO_TEXT, sizeof text, &text), DBM_OK);
    assert_null(text);
    assert_int_equal(to_target(text_of(""), DBM__TO_TEXT, sizeof text, &text), DBM_OK);
    assert_string_equal(text, "");
    assert_int_equal(to_target(dbm_int(42), DBM__TO_TEXT, sizeof text, &text), DBM_OK);
    assert_string_equal(text, "42");
    value = dbm_int(42);
    target = dbm__target(DBM__TO_TEXT, sizeof text, &text);
    assert_int_equal(dbm__to_target(&value, &target, NULL, 0, &why_target), DBM_E_RANGE); /* nowhere to write it */
    assert_string_equal(text, "");

    assert_int_equal(to_target(dbm_blob("a\0b", 3), DBM__TO_BYTES, sizeof bytes, &bytes), DBM_OK);
    assert_int_equal(bytes.size, 3);
    assert_memory_equal(bytes.data, "a\0b", 3);
    assert_int_equal(to_target(dbm_null(), DBM__TO_BYTES, sizeof bytes, &bytes), DBM_OK);
    assert_null(bytes.data);
    assert_int_equal(bytes.size, 0);
    bytes.size = 9;
    assert_int_equal(to_target(dbm_int(1), DBM__TO_BYTES, sizeof bytes, &bytes), DBM_E_RANGE);
    assert_true(!bytes.data && !bytes.size);
    assert_string_equal(why_target.text, "1 is neither a text nor a blob");

    assert_int_equal(to_target(text_of("abc"), DBM__TO_VALUE, sizeof value, &value), DBM_OK);
    assert_int_equal(value.type, DBM_TYPE_TEXT);
    assert_string_equal(value.as.text.data, "abc");

    assert_int_equal(to_target(dbm_int(5), DBM__TO_OPTIONAL_INT, sizeof oi, &oi), DBM_OK);
    assert_true(oi.has && oi.value == 5);
    assert_int_equal(to_target(dbm_null(), DBM__TO_OPTIONAL_INT, sizeof oi, &oi), DBM_OK);
    assert_true(!oi.has && oi.value == 0);
    oi.has = true;
    assert_int_equal(to_target(text_of("x"), DBM__TO_OPTIONAL_INT, sizeof oi, &oi), DBM_E_RANGE);
    assert_true(!oi.has && oi.value == 0);
    assert_int_equal(to_target(text_of("yes"), DBM__TO_OPTIONAL_BOOL, sizeof ob, &ob), DBM_OK);
    assert_true(ob.has && ob.value);
    assert_int_equal(to_target(dbm_null(), DBM__TO_OPTIONAL_BOOL, sizeof ob, &ob), DBM_OK);
    assert_true(!ob.has && !ob.value);
    assert_int_equal(to_target(dbm_int(5), DBM__TO_OPTIONAL_BOOL, sizeof ob, &ob), DBM_E_RANGE);
    assert_true(!ob.has && !ob.value);
    assert_int_equal(to_target(dbm_int(5), 99, sizeof ob, &ob), DBM_E_MISUSE);
}

static void test_buffers(void **state) {
    static const char text[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z"; /* 1, 2, 3, 4, 1 bytes */
    static const size_t whole[] = { 0, 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11 }; /* bytes that fit char[N] */
    char block[32];
    size_t n;
    (void)state;
    for (n = 0; n <= 12; n++) {
        memset(block, 0x55, sizeof block);
        assert_int_equal(to_target(text_of(text), DBM__TO_BUFFER, n, block), n == 12 ? DBM_OK : DBM_E_RANGE);
        assert_int_equal(block[n], 0x55);
        if (!n) continue;
        assert_int_equal(strlen(block), whole[n]);
        assert_memory_equal(block, text, whole[n]);
    }
    assert_int_equal(to_target(text_of("hello"), DBM__TO_BUFFER, 5, block), DBM_E_RANGE);
    assert_string_equal(why_target.text, "a text of 5 bytes and its NUL do not fit char[5]");
    assert_string_equal(block, "hell");
    assert_int_equal(to_target(dbm_textn("ab\0cd", 5), DBM__TO_BUFFER, 32, block), DBM_E_RANGE);
    assert_non_null(strstr(why_target.text, "a byte 0 at 2"));
    assert_string_equal(block, "ab");
    assert_int_equal(to_target(dbm_null(), DBM__TO_BUFFER, 32, block), DBM_OK);
    assert_string_equal(block, "");
    assert_int_equal(to_target(dbm_int(-12), DBM__TO_BUFFER, 4, block), DBM_OK);
    assert_string_equal(block, "-12");
    assert_int_equal(to_target(dbm_int(-12), DBM__TO_BUFFER, 3, block), DBM_E_RANGE);
    assert_string_equal(block, "-1");
}

#if DBM__FLOAT
static void test_reals(void **state) {
    double d;
    float f;
    dbm_optional_double od;
    (void)state;
    assert_int_equal(to_target(text_of("2.5"), DBM__TO_REAL, sizeof d, &d), DBM_OK);
    assert_true(d == 2.5);
    assert_int_equal(to_target(dbm_null(), DBM__TO_REAL, sizeof d, &d), DBM_E_RANGE);
    assert_true(d == 0);
    assert_int_equal(to_target(dbm_double(0.1), DBM__TO_REAL, sizeof f, &f), DBM_OK);
    assert_true(f == 0.1f);
    assert_int_equal(to_target(dbm_double(3.4028235e38), DBM__TO_REAL, sizeof f, &f), DBM_OK); /* FLT_MAX as it is mostly written */
    assert_true(f == FLT_MAX);
    assert_int_equal(to_target(dbm_double(3.4028236e38), DBM__TO_REAL, sizeof f, &f), DBM_E_RANGE);
    assert_true(f == 0);
    assert_string_equal(why_target.text, "3.4028236e+38 does not fit float");
    assert_int_equal(to_target(dbm_double(-1e300), DBM__TO_REAL, sizeof f, &f), DBM_E_RANGE);
    assert_int_equal(to_target(dbm_double(-HUGE_VAL), DBM__TO_REAL, sizeof f, &f), DBM_OK);
    assert_true(f < -FLT_MAX);
    assert_int_equal(to_target(dbm_double((double)NAN), DBM__TO_REAL, sizeof f, &f), DBM_OK);
    assert_true(f != f);
    assert_int_equal(to_target(dbm_int(4), DBM__TO_OPTIONAL_DOUBLE, sizeof od, &od), DBM_OK);
    assert_true(od.has && od.value == 4);
    assert_int_equal(to_target(dbm_null(), DBM__TO_OPTIONAL_DOUBLE, sizeof od, &od), DBM_OK);
    assert_true(!od.has && od.value == 0);
    assert_int_equal(to_target(text_of("four"), DBM__TO_OPTIONAL_DOUBLE, sizeof od, &od), DBM_E_RANGE);
    assert_true(!od.has && od.value == 0);
}
#else
static void test_no_float(void **state) {
    dbm_value v = text_of("1");
    dbm__why why;
    char block[40];
    double d = 0;
    int64_t i = 7;
    (void)state;
    assert_int_equal(dbm__to_double(&v, &d, &why), DBM_E_RANGE);
    assert_non_null(strstr(why.text, "DBM_NO_FLOAT"));
    v = dbm_double(1);
    assert_int_equal(dbm__to_double(&v, &d, &why), DBM_OK); /* what came as a double can be handed on */
    assert_int_equal(dbm__to_int(&v, 0, 9, &i, &why), DBM_E_RANGE);
    assert_true(i == 0);
    dbm__double_write(1.5, block);
    assert_string_equal(block, "");
    assert_false(dbm__double_read("1", 1, &d));
}
#endif

/* ---- timestamps ------------------------------------------------------------------------------------------------------ */

static void test_timestamps(void **state) {
    static const struct { const char *text; int64_t us; } good[] = {
        { "1970-01-01", 0 }, { "1970-01-01 00:00:00", 0 }, { "1970-01-01T00:00:00Z", 0 }, { "1970-01-01t00:00z", 0 },
        { "1969-12-31 23:59:59.999999", -1 }, { "2024-02-29 12:34:56.789012", 1709210096789012 }, { "2024-02-29T12:34:56.789012000Z", 1709210096789012 },
        { "2024-02-29T12:34:56,7", 1709210096700000 }, { "2024-02-29 14:34:56.789012+02", 1709210096789012 },
        { "2024-02-29 14:34:56.789012+02:00", 1709210096789012 }, { "2024-02-29 07:04:56.789012-0530", 1709210096789012 },
        { "2024-02-29 14:34:56.789012 +02:00", 1709210096789012 }, { "1970-01-01 00:53:28+00:53:28", 0 }, { "1970-01-01T01:00+01:00", 0 },
        { "0001-01-01", INT64_C(-62135596800000000) }, { "9999-12-31 23:59:59.999999", INT64_C(253402300799999999) }, { "2000-02-29", 951782400000000 }
    };
    static const char *const bad[] = {
        "", "1970", "1970-1-1", "1970-01-01 ", "1970-01-01 00", "1970-01-01 00:00:", "1970-01-01 00:00:00.", "1970-01-01 00:00 ",
        "1970-01-01 24:00:00", "1970-01-01 00:60:00", "1970-01-01 00:00:60", "1970-13-01", "1970-00-01", "1970-01-32", "1970-01-00", "2023-02-29",
        "1900-02-29", "2024-04-31", "0000-01-01", "10000-01-01", "-001-01-01", "1970-01-01Z", "1970-01-01 00:00:00.0000001", "1970-01-01 00:00:00.0000000000",
        "1970-01-01 00:00:00+", "1970-01-01 00:00:00+1", "1970-01-01 00:00:00+01:", "1970-01-01 00:00:00+01:60", "1970-01-01 00:00:00+24:00",
        "1970-01-01 00:00:00ZZ", "1970-01-01 00:00:00  Z", "0001-01-01 00:00:00+01", "9999-12-31 23:59:59-01", "now", "infinity", "1970-01-01x00:00"
    };
    dbm_value v;
    dbm__why why;
    int64_t us;
    char block[32];
    size_t i;
    (void)state;
    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        us = 77;
        assert_true(dbm__timestamp_read(good[i].text, strlen(good[i].text), &us));
        assert_true(us == good[i].us);
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        us = 77;
        assert_false(dbm__timestamp_read(bad[i], strlen(bad[i]), &us));
        assert_true(us == 0);
    }
    assert_false(dbm__timestamp_read(NULL, 0, &us));
    dbm__timestamp_write(INT64_MAX, block);
    assert_string_equal(block, "+294247-01-10 04:00:54.775807");
    dbm__timestamp_write(INT64_MIN, block);
    assert_string_equal(block, "-290308-12-21 19:59:05.224192");
    dbm__timestamp_write(INT64_C(-62135596800000001), block);
    assert_string_equal(block, "0000-12-31 23:59:59.999999");

    v = text_of("2024-02-29");
    assert_int_equal(dbm__to_timestamp(&v, &us, &why), DBM_OK);
    assert_true(us == 1709164800000000);
    v = dbm_int(-5);
    assert_int_equal(dbm__to_timestamp(&v, &us, &why), DBM_OK);
    assert_true(us == -5);
    v = dbm_timestamp(9);
    assert_int_equal(dbm__to_timestamp(&v, &us, &why), DBM_OK);
    assert_true(us == 9);
    v = dbm_uint(UINT64_MAX);
    assert_int_equal(dbm__to_timestamp(&v, &us, &why), DBM_E_RANGE);
    assert_true(us == 0);
    v = text_of("yesterday");
    assert_int_equal(dbm__to_timestamp(&v, &us, &why), DBM_E_RANGE);
    assert_string_equal(why.text, "a text of 9 bytes is not a timestamp such as 2024-02-29 12:34:56.789012");
    v = dbm_null();
    assert_int_equal(dbm__to_timestamp(&v, &us, &why), DBM_E_RANGE);
    assert_string_equal(why.text, "is NULL");
}

static void check_timestamp(int64_t us) {
    int64_t seconds = us / 1000000, part = us % 1000000, back = 77;
    char expected[64], block[32];
    struct tm tm;
    time_t t;
    int n;
    if (part < 0) { part += 1000000; seconds--; }
    t = (time_t)seconds;
    assert_non_null(gmtime_r(&t, &tm));
    n = snprintf(expected, sizeof expected, "%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (part) (void)snprintf(expected + n, sizeof expected - (size_t)n, ".%06d", (int)part);
    dbm__timestamp_write(us, block);
    if (strcmp(block, expected) != 0) assert_string_equal(block, expected);
    if (!dbm__timestamp_read(block, strlen(block), &back) || back != us) fail_msg("%s does not read back", block);
}

/* Every day of the years 1 to 9999, then random moments. */
static void test_calendar(void **state) {
    const int64_t first = INT64_C(-62135596800), last = INT64_C(253402300799);
    int64_t t;
    long i, n = rounds(300000);
    (void)state;
    if (sizeof(time_t) < 8) skip();
    for (t = first; t <= last; t += 86400) check_timestamp(t * 1000000 + (t & 1));
    check_timestamp(last * 1000000 + 999999);
    for (i = 0; i < n; i++) check_timestamp(first * 1000000 + (int64_t)(draw() % ((uint64_t)(last - first) * 1000000u)));
}

static void test_timestamp_garbage(void **state) {
    static const char letters[] = "0123456789-:+. TtZz,";
    char text[40];
    long i, n = rounds(300000);
    (void)state;
    for (i = 0; i < n; i++) {
        size_t size = (size_t)(draw() % 36u), at;
        int64_t us = 77, again;
        char block[32], *copy;
        memcpy(text, "2024-02-29 12:34:56.789012+02:00....", 36);
        for (at = draw() % 4u; at; at--) text[draw() % 36u] = letters[draw() % (sizeof letters - 1)];
        copy = (char *)malloc(size + 1); /* exactly as large as it says: a sanitizer sees one byte too many */
        assert_non_null(copy);
        memcpy(copy, text, size);
        copy = (char *)realloc(copy, size ? size : 1);
        if (dbm__timestamp_read(copy, size, &us)) {
            dbm__timestamp_write(us, block);
            assert_true(dbm__timestamp_read(block, strlen(block), &again));
            assert_true(again == us);
        } else {
            assert_true(us == 0);
        }
        free(copy);
    }
}

/* ---- doubles --------------------------------------------------------------------------------------------------------- */

#if DBM__FLOAT
static double of_bits(uint64_t bits) {
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}
static uint64_t bits_of(double d) {
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}
static int digits_in(const char *text) {
    int n = 0, zeros = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9') continue;
        if (n || *text != '0') n++;
        zeros = *text == '0' ? zeros + 1 : 0;
    }
    return n > zeros ? n - zeros : n;
}

/* Reads back as itself, and no shorter text does. */
static void check_written(uint64_t bits) {
    double d = of_bits(bits), back = 77;
    char block[40], other[64];
    int digits, count;
    memset(block, 0x55, sizeof block);
    dbm__double_write(d, block);
    if (strlen(block) > 25 || bits_of(strtod(block, NULL)) != bits) fail_msg("%.17g is written as %s", d, block);
    if (!dbm__double_read(block, strlen(block), &back) || bits_of(back) != bits) fail_msg("%s reads back as %.17g", block, back);
    for (digits = 1; digits < 17; digits++) {
        (void)snprintf(other, sizeof other, "%.*e", digits - 1, d);
        if (strtod(other, NULL) == d) break;
    }
    count = digits_in(block);
    if (count > digits) fail_msg("%s is longer than %s", block, other);
    (void)snprintf(other, sizeof other, "%.17g", d);
    if (!dbm__double_read(other, strlen(other), &back) || bits_of(back) != bits) fail_msg("%s reads as %.17g", other, back);
}

static void check_read(const char *text) {
    double d = 77, expected = strtod(text, NULL);
    bool ok = dbm__double_read(text, strlen(text), &d);
    if (fabs(expected) > DBL_MAX) {
        if (ok || d != 0) fail_msg("%s: an overflow was read", text);
        return;
    }
    if (!ok || bits_of(d) != bits_of(expected)) fail_msg("%s: %.17g instead of %.17g", text, d, expected);
}

static void test_double_texts(void **state) {
    static const struct { double d; const char *text; } written[] = {
        { 0.0, "0" }, { -0.0, "-0" }, { 1, "1" }, { -1, "-1" }, { 0.1, "0.1" }, { 1.5, "1.5" }, { 100, "100" }, { 1e15, "1000000000000000" },
        { 9007199254740991.0, "9007199254740991" }, { 9007199254740992.0, "9007199254740992" }, { 1e16, "1e+16" }, { 1.2345e20, "1.2345e+20" },
        { 123456.789, "123456.789" }, { 0.001, "0.001" }, { 0.0001, "0.0001" }, { 0.00001, "1e-05" }, { 1.25e-7, "1.25e-07" }, { 5e-324, "5e-324" },
        { 2.2250738585072014e-308, "2.2250738585072014e-308" }, { 2.225073858507201e-308, "2.225073858507201e-308" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 4503599627370495.5, "4503599627370495.5" }, { 1.0 / 3, "0.3333333333333333" },
        { 2e-3, "0.002" }, { 1e23, "1e+23" }, { 9.5367431640625e-07, "9.5367431640625e-07" }, { 299792458.0, "299792458" }
    };
    static const char *const bad[] = { "", "-", "+", ".", "e5", "1e", "1e+", "1e-", " 1", "1 ", "1.2.3", "0x10", "1f", "--1", "1e5.0", "1e400", "-1e309",
                                       "1.7976931348623159e308", "in", "infinit", "nan(1)", "i", "1_000" };
    static const char *const hard[] = {
        "0", "-0", "0e999999999999999999999", ".5", "5.", "1e-400", "1e-99999999999999999999", "4.9e-324", "2.4703282292062327e-324",
        "2.4703282292062328e-324", "2.47032822920623272088284396434110686182e-324", "2.2250738585072011e-308", "2.2250738585072012e-308",
        "1.7976931348623158e308", "179769313486231580793728971405301e276", "9007199254740993", "9007199254740992.999999999999999999999999",
        "9007199254740993.000000000000000000000000001", "8.5e22", "1e22", "1e23", "123456789012345678e-30", "1.00000000000000011102230246251565",
        "1.00000000000000011102230246251565404236316680908203125", "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126", "6929495644600919.5", "3.237883913302901e+23", "1e308", "000000000000000001e0001",
        "0.000000000000000000000000000000000000000001e42", "1E5", "1e+5", "+1"
    };
    char text[4096];
    double d;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof written / sizeof written[0]; i++) {
        char block[40];
        dbm__double_write(written[i].d, block);
        assert_string_equal(block, written[i].text);
        check_written(bits_of(written[i].d));
    }
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        d = 77;
        if (dbm__double_read(bad[i], strlen(bad[i]), &d) || d != 0) fail_msg("%s was read", bad[i]);
    }
    assert_false(dbm__double_read(NULL, 0, &d));
    for (i = 0; i < sizeof hard / sizeof hard[0]; i++) check_read(hard[i]);
    assert_true(dbm__double_read("inf", 3, &d) && d > DBL_MAX);
    assert_true(dbm__double_read("-Infinity", 9, &d) && d < -DBL_MAX);
    assert_true(dbm__double_read("NaN", 3, &d) && d != d);
    dbm__double_write(HUGE_VAL, text);
    assert_string_equal(text, "inf");
    dbm__double_write(-HUGE_VAL, text);
    assert_string_equal(text, "-inf");
    dbm__double_write((double)NAN, text);
    assert_string_equal(text, "nan");
    /* the longest that can be between two doubles, with more behind it */
    (void)snprintf(text, sizeof text, "%.1074f", of_bits(1));
    check_read(text);
    for (i = 0; i < 200; i++) {
        uint64_t bits = draw() % UINT64_C(0x7FE0000000000000);
        size_t size;
        /* exactly halfway: the text of d plus half of its last bit, by one more bit than a double has */
        (void)snprintf(text, sizeof text, "%.1100Lf", ((long double)of_bits(bits) + (long double)of_bits(bits + 1)) / 2);
        check_read(text);
        size = strlen(text);
        memset(text + size, '0', 900);
        text[size + 900] = '1';
        text[size + 901] = 0;
        check_read(text);
    }
    memset(text, '1', 2000);
    strcpy(text + 2000, "e-1990");
    check_read(text);
    memset(text, '0', 2000);
    text[1] = '.';
    strcpy(text + 2000, "1e2000");
    check_read(text);
}

static void test_double_random(void **state) {
    long i, n = rounds(100000);
    (void)state;
    for (i = 0; i < n; i++) {
        uint64_t bits = draw();
        if ((bits >> 52 & 0x7FFu) == 0x7FF) continue;
        check_written(bits);
    }
    for (i = 0; i < 2046; i++) { /* powers of two and their neighbours */
        check_written((uint64_t)i << 52);
        check_written(((uint64_t)i << 52) + 1);
        if (i) check_written(((uint64_t)i << 52) - 1);
    }
    for (i = 1; i < 3000; i++) {
        check_written((uint64_t)i); /* the smallest */
        check_written(bits_of((double)i / 100));
        check_written(bits_of((double)i * 1e13));
    }
}

static void test_double_read_random(void **state) {
    long i, n = rounds(200000);
    char text[80];
    (void)state;
    for (i = 0; i < n; i++) {
        int size = 0, digits = 1 + (int)(draw() % 30u), at, point = (int)(draw() % 31u);
        if (draw() % 2u) text[size++] = '-';
        for (at = 0; at < digits; at++) {
            if (at == point) text[size++] = '.';
            text[size++] = (char)('0' + (int)(draw() % 10u));
        }
        if (draw() % 4u) size += snprintf(text + size, 20, "e%d", (int)(draw() % 660u) - 330);
        else if (draw() % 2u) size += snprintf(text + size, 20, "e%d", (int)(draw() % 40u) - 20);
        text[size] = 0;
        check_read(text);
    }
    for (i = 0; i < n; i++) { /* nearly numbers */
        static const char letters[] = "0123456789..eE+-infa x";
        char *copy;
        int size = (int)(draw() % 12u), at;
        double d = 77;
        copy = (char *)malloc(size ? (size_t)size : 1);
        assert_non_null(copy);
        for (at = 0; at < size; at++) copy[at] = letters[draw() % (sizeof letters - 1)];
        if (!dbm__double_read(copy, (size_t)size, &d)) assert_true(d == 0);
        free(copy);
    }
}

/* A decimal comma changes nothing. */
static void test_locale(void **state) {
    static const char *const names[] = { "de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE" };
    char block[40];
    double d;
    size_t i;
    (void)state;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) if (setlocale(LC_ALL, names[i])) break;
    dbm__double_write(1.5, block);
    assert_string_equal(block, "1.5");
    assert_true(dbm__double_read("1.5", 3, &d));
    assert_true(d == 1.5);
    assert_false(dbm__double_read("1,5", 3, &d));
    assert_non_null(setlocale(LC_ALL, "C"));
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_order_many),
        cmocka_unit_test(test_to_int),
        cmocka_unit_test(test_to_uint),
        cmocka_unit_test(test_to_bool),
        cmocka_unit_test(test_to_text),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_timestamp_garbage),
#if DBM__FLOAT
        cmocka_unit_test(test_to_double),
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_double_texts),
        cmocka_unit_test(test_double_random),
        cmocka_unit_test(test_double_read_random),
        cmocka_unit_test(test_locale),
#else
        cmocka_unit_test(test_no_float),
#endif
    };
    return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
