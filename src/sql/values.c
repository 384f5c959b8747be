/* Values: decoding variadic arguments, putting named ones in order, and conversions that either keep everything or fail.
 * May call: api/, base/, sql.h.
 * Must not know: rows, sessions, backends. Nothing here allocates; nothing here follows the program's locale. */
#include "sql.h"
#if DBM__FLOAT
#  include <float.h>
#  if DBL_MANT_DIG != 53 || DBL_MAX_EXP != 1024 || FLT_RADIX != 2
#    error "dbm: double is not the 64-bit IEEE 754 format here. Define DBM_NO_FLOAT"
#  endif
#endif

/* ---- arguments ----------------------------------------------------------------------------------------------------- */

/* Makes a value that a user made as backends expect it. False: it is none. */
static bool dbm__value_complete(dbm_value *v) {
    switch (v->type) {
    case DBM_TYPE_NULL: case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_DOUBLE: case DBM_TYPE_TIMESTAMP: return true;
    case DBM_TYPE_BOOL:
        v->as.integer = v->as.integer != 0;
        return true;
    case DBM_TYPE_TEXT: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
        if (DBM__LIKELY(v->as.text.data != NULL)) {
            if (v->as.text.size == SIZE_MAX) v->as.text.size = strlen(v->as.text.data);
            return true;
        }
        if (v->as.text.size && v->as.text.size != SIZE_MAX) return false;
        v->type = DBM_TYPE_NULL; /* as everywhere, a null pointer is SQL NULL */
        v->as.text.size = 0;
        return true;
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return false;
}

static DBM__NOINLINE dbm_status dbm__value_bad(int number, const char *database, const char *site) {
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "value %d is no value: a pointer that is not a text, or a text without data. "
                     "Bytes are passed as dbm_blob(p, n)", number);
}

/* The codes are those of DBM__CODE in api/session.h. */
DBM__FN dbm_status dbm__values_read(dbm_value *out, int *count, bool *named, const char *codes, va_list ap) {
    dbm_value *v = out;
    bool any = false;
    int bad = 0;
    for (; *codes; codes++, v++) {
        if (DBM__UNLIKELY(v == out + DBM__MAX_VALUES)) {
            *count = 0;
            *named = false;
            return dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, "", "", "more than %d values in one call", DBM__MAX_VALUES);
        }
        v->name = NULL;
        switch (*codes) {
        case 'i': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, int); break;
        case 's':
            v->as.text.data = va_arg(ap, const char *);
            v->type = v->as.text.data ? DBM_TYPE_TEXT : DBM_TYPE_NULL;
            v->as.text.size = v->as.text.data ? strlen(v->as.text.data) : 0;
            break;
        case 'l': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, long); break;
        case 'q': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, long long); break;
        case 'd': v->type = DBM_TYPE_DOUBLE; v->as.real = va_arg(ap, double); break;
        case 'b': v->type = DBM_TYPE_BOOL; v->as.integer = va_arg(ap, int) != 0; break;
        case 'u': v->type = DBM_TYPE_INT; v->as.integer = (int64_t)va_arg(ap, unsigned); break;
        case 'm': v->type = DBM_TYPE_UINT; v->as.uinteger = va_arg(ap, unsigned long); break;
        case 'r': v->type = DBM_TYPE_UINT; v->as.uinteger = va_arg(ap, unsigned long long); break;
        case 'p': /* NULL itself; another pointer has no meaning to a database */
            v->type = va_arg(ap, const void *) ? DBM_TYPE_INVALID : DBM_TYPE_NULL;
            v->as.integer = 0;
            break;
        case 'v':
            *v = va_arg(ap, dbm_value);
            if (v->name) any = true;
            if (!dbm__value_complete(v)) v->type = DBM_TYPE_INVALID;
            break;
        default: v->type = DBM_TYPE_INVALID; v->as.integer = 0; break;
        }
        if (DBM__UNLIKELY(v->type == DBM_TYPE_INVALID) && !bad) bad = (int)(v - out) + 1;
    }
    *count = (int)(v - out);
    *named = any;
    return DBM__LIKELY(!bad) ? DBM_OK : dbm__value_bad(bad, "", "");
}

static DBM__NOINLINE dbm_status dbm__values_mixed(const dbm_value *values, int count, const char *database, const char *site) {
    int i;
    const char *name = "";
    for (i = 0; i < count; i++) if (values[i].name) name = values[i].name;
    for (i = 0; i < count - 1 && values[i].name; i++) { }
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site,
                     "value %d has no name, but others have (%q); give all of them by dbm_named(), or none", i + 1, name);
}

DBM__FN dbm_status dbm__values_check(dbm_value *values, int count, const char *database, const char *site) {
    int i, names = 0;
    for (i = 0; i < count; i++) {
        names += values[i].name != NULL;
        if (DBM__UNLIKELY(!dbm__value_complete(&values[i]))) return dbm__value_bad(i + 1, database, site);
    }
    return DBM__UNLIKELY(names != 0 && names != count) ? dbm__values_mixed(values, count, database, site) : DBM_OK;
}

static bool dbm__place_is(const dbm__place *p, const char *name) {
    return strncmp(p->name, name, p->size) == 0 && name[p->size] == 0;
}

/* A value that no placeholder asked for, with the placeholder that was probably meant. */
static DBM__NOINLINE dbm_status dbm__values_stray(const dbm__entry *e, const char *name, const char *database, const char *site) {
    const char *best = NULL;
    char block[2][65]; /* longer names have no nearest */
    int i, at = 0;
    if (name[0] == ':') return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "dbm_named(\"%s\", ...): leave the colon out", name);
    for (i = 0; i < e->prepared.parameters; i++) {
        const dbm__place *p = &e->places[i];
        const char *both[2];
        if (p->size >= sizeof block[0]) continue;
        memcpy(block[at], p->name, p->size);
        block[at][p->size] = 0;
        both[0] = best;
        both[1] = block[at];
        best = dbm__nearest(name, best ? both : both + 1, best ? 2 : 1);
        if (best == block[at]) at = 1 - at;
    }
    if (best) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "the value %q has no placeholder in the statement; did you mean %q?", name, best);
    }
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "the value %q has no placeholder :%s in the statement", name, name);
}

DBM__FN dbm_status dbm__values_order(const dbm__entry *e, const dbm_value *in, int count, dbm_value *out, const char *database, const char *site) {
    int i, j;
    for (i = 0; i < count; i++) {
        if (!in[i].name) return dbm__values_mixed(in, count, database, site);
        for (j = 0; j < i; j++) {
            if (strcmp(in[i].name, in[j].name) == 0) {
                return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "two values are named %q", in[i].name);
            }
        }
    }
    if (e->prepared.parameters > DBM__MAX_VALUES) {
        return dbm__fail(DBM_E_LIMIT, DBM_STAGE_STATEMENT, database, site,
                         "the statement has %d placeholders with names; at most %d can be", e->prepared.parameters, DBM__MAX_VALUES);
    }
    if (e->prepared.parameters < 0) { /* the statement is the backend's own: so are its names */
        if (count) memcpy(out, in, (size_t)count * sizeof *in);
        return DBM_OK;
    }
    for (j = 0; j < count; j++) {
        for (i = 0; i < e->prepared.parameters && !dbm__place_is(&e->places[i], in[j].name); i++) { }
        if (i == e->prepared.parameters) return dbm__values_stray(e, in[j].name, database, site);
    }
    for (i = 0; i < e->prepared.parameters; i++) {
        for (j = 0; j < count && !dbm__place_is(&e->places[i], in[j].name); j++) { }
        if (j == count) {
            char name[96];
            dbm__text t = dbm__text_in(name, sizeof name);
            dbm__put_n(&t, e->places[i].name, e->places[i].size);
            dbm__text_end(&t);
            return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "the placeholder :%s has no value; pass dbm_named(\"%s\", ...)", name, name);
        }
        out[i] = in[j];
        out[i].name = NULL;
    }
    return DBM_OK;
}

/* ---- reasons ------------------------------------------------------------------------------------------------------- */

/* The value itself where it is a number, or a text that looks like one; of another text only the size: it may be a secret. */
static void dbm__why_value(dbm__text *t, const dbm_value *v) {
    char block[64];
    size_t size, i;
    const char *text = dbm__to_text(v, block, sizeof block, &size);
    switch (v->type) {
    case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_BOOL: dbm__put(t, text); return;
    case DBM_TYPE_DOUBLE: dbm__put(t, text[0] ? text : "a real number"); return;
    case DBM_TYPE_TIMESTAMP: dbm__putf(t, "the timestamp %s", text); return;
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_JSON:
        for (i = 0; i < size && i < 40 && ((text[i] >= '0' && text[i] <= '9') || memchr("+-.eE:", text[i], 6)); i++) { }
        if (i && i == size) dbm__put_n(t, text, size);
        else dbm__putf(t, v->type == DBM_TYPE_JSON ? "JSON of %z bytes" : "a text of %z bytes", size);
        return;
    case DBM_TYPE_BLOB: dbm__putf(t, "a blob of %z bytes", size); return;
    case DBM_TYPE_UUID: dbm__put(t, "a UUID"); return;
    case DBM_TYPE_NULL: dbm__put(t, "NULL"); return;
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    dbm__put(t, "the value");
}

static DBM__NOINLINE dbm_status dbm__why_not(dbm__why *why, const dbm_value *v, const char *what) {
    dbm__text t = dbm__text_in(why->text, sizeof why->text);
    if (v->type == DBM_TYPE_NULL) {
        dbm__put(&t, "is NULL");
    } else {
        dbm__why_value(&t, v);
        dbm__putf(&t, " %s", what);
    }
    dbm__text_end(&t);
    return DBM_E_RANGE;
}

/* "300 does not fit int8_t": the C type is known by its limits. */
static DBM__NOINLINE dbm_status dbm__why_range(dbm__why *why, const dbm_value *v, int64_t min, uint64_t max) {
    static const struct { int64_t min; uint64_t max; const char *name; } types[] = {
        { INT8_MIN, INT8_MAX, "int8_t" }, { INT16_MIN, INT16_MAX, "int16_t" }, { INT32_MIN, INT32_MAX, "int32_t" },
        { INT64_MIN, INT64_MAX, "int64_t" }, { 0, UINT8_MAX, "uint8_t" }, { 0, UINT16_MAX, "uint16_t" },
        { 0, UINT32_MAX, "uint32_t" }, { 0, UINT64_MAX, "uint64_t" }
    };
    dbm__text t = dbm__text_in(why->text, sizeof why->text);
    size_t i;
    dbm__why_value(&t, v);
    for (i = 0; i < sizeof types / sizeof types[0] && (types[i].min != min || types[i].max != max); i++) { }
    if (i < sizeof types / sizeof types[0]) dbm__putf(&t, " does not fit %s", types[i].name);
    else dbm__putf(&t, " is not within %l to %u", min, max);
    dbm__text_end(&t);
    return DBM_E_RANGE;
}

/* ---- integers ------------------------------------------------------------------------------------------------------ */

typedef enum dbm__whole_kind { DBM__WHOLE_NONE, DBM__WHOLE_FITS, DBM__WHOLE_LARGE } dbm__whole_kind;

/* An integer as a sign and a magnitude. A decimal may have a fraction of zeros: numeric(10, 2) writes 5 as 5.00. */
static dbm__whole_kind dbm__whole_read(const char *text, size_t size, bool decimal, bool *negative, uint64_t *magnitude) {
    uint64_t m = 0;
    bool large = false;
    size_t i = 0, first;
    *negative = size && text[0] == '-';
    if (size && (text[0] == '-' || text[0] == '+')) i = 1;
    for (first = i; i < size && text[i] >= '0' && text[i] <= '9'; i++) {
        unsigned digit = (unsigned)(text[i] - '0');
        if (m > (UINT64_MAX - digit) / 10u) large = true;
        else m = m * 10u + digit;
    }
    if (i == first) return DBM__WHOLE_NONE;
    if (decimal && i + 1 < size && text[i] == '.') for (i++; i < size && text[i] == '0'; i++) { }
    if (i != size) return DBM__WHOLE_NONE;
    *magnitude = m;
    return large ? DBM__WHOLE_LARGE : DBM__WHOLE_FITS;
}

static dbm__whole_kind dbm__whole_of(const dbm_value *v, bool *negative, uint64_t *magnitude) {
    switch (v->type) {
    case DBM_TYPE_INT: case DBM_TYPE_BOOL: case DBM_TYPE_TIMESTAMP:
        *negative = v->as.integer < 0;
        *magnitude = *negative ? 0u - (uint64_t)v->as.integer : (uint64_t)v->as.integer;
        return DBM__WHOLE_FITS;
    case DBM_TYPE_UINT:
        *negative = false;
        *magnitude = v->as.uinteger;
        return DBM__WHOLE_FITS;
    case DBM_TYPE_DOUBLE: {
#if DBM__FLOAT
        double d = v->as.real;
        *negative = d < 0;
        if (*negative) d = -d;
        if (!(d < 18446744073709551616.0)) return d != d || d > DBL_MAX ? DBM__WHOLE_NONE : DBM__WHOLE_LARGE;
        *magnitude = (uint64_t)d;
        return (double)*magnitude == d ? DBM__WHOLE_FITS : DBM__WHOLE_NONE; /* d is exact where it has no fraction */
#else
        return DBM__WHOLE_NONE;
#endif
    }
    case DBM_TYPE_TEXT: case DBM_TYPE_JSON: case DBM_TYPE_DECIMAL:
        return dbm__whole_read(v->as.text.data, v->as.text.size, v->type == DBM_TYPE_DECIMAL, negative, magnitude);
    case DBM_TYPE_NULL: case DBM_TYPE_BLOB: case DBM_TYPE_UUID: case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return DBM__WHOLE_NONE;
}

/* The same, if it lies between min and max. */
static dbm_status dbm__whole_within(const dbm_value *v, int64_t min, uint64_t max, bool *negative, uint64_t *m, dbm__why *why) {
    dbm__whole_kind kind = dbm__whole_of(v, negative, m);
    if (kind == DBM__WHOLE_NONE) return dbm__why_not(why, v, "is not an integer");
    if (kind == DBM__WHOLE_LARGE || *m > (*negative ? 0u - (uint64_t)min : max)) return dbm__why_range(why, v, min, max);
    return DBM_OK;
}

static DBM__NOINLINE dbm_status dbm__to_int_slow(const dbm_value *v, int64_t min, int64_t max, int64_t *out, dbm__why *why) {
    bool negative = false;
    uint64_t m = 0;
    dbm_status st = dbm__whole_within(v, min, (uint64_t)max, &negative, &m, why);
    *out = st != DBM_OK ? 0 : !negative ? (int64_t)m : m ? -(int64_t)(m - 1) - 1 : 0;
    return st;
}

DBM__FN dbm_status dbm__to_int(const dbm_value *v, int64_t min, int64_t max, int64_t *out, dbm__why *why) {
    if (DBM__LIKELY(v->type == DBM_TYPE_INT && v->as.integer >= min && v->as.integer <= max)) {
        *out = v->as.integer;
        return DBM_OK;
    }
    return dbm__to_int_slow(v, min, max, out, why);
}

DBM__FN dbm_status dbm__to_uint(const dbm_value *v, uint64_t max, uint64_t *out, dbm__why *why) {
    bool negative = false;
    uint64_t m = 0;
    dbm_status st = dbm__whole_within(v, 0, max, &negative, &m, why);
    *out = st == DBM_OK ? m : 0;
    return st;
}

/* ---- real numbers, bools, timestamps -------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__to_double(const dbm_value *v, double *out, dbm__why *why) {
#if DBM__FLOAT
    bool negative = false;
    uint64_t m = 0, odd;
#endif
    if (DBM__LIKELY(v->type == DBM_TYPE_DOUBLE)) {
        *out = v->as.real;
        return DBM_OK;
    }
    *out = 0;
    switch (v->type) {
#if DBM__FLOAT
    case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_BOOL:
        dbm__whole_of(v, &negative, &m);
        for (odd = m; odd >> 53 && !(odd & 1u); odd >>= 1) { }
        if (odd >> 53) return dbm__why_not(why, v, "would lose digits in a double");
        *out = negative ? -(double)m : (double)m;
        return DBM_OK;
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_JSON:
        if (dbm__double_read(v->as.text.data, v->as.text.size, out)) return DBM_OK;
        return dbm__why_not(why, v, "is not a number that fits double");
#else
    case DBM_TYPE_INT: case DBM_TYPE_UINT: case DBM_TYPE_BOOL: case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL:
    case DBM_TYPE_JSON:
        return dbm__why_not(why, v, "can't be made a double: DBM_NO_FLOAT");
#endif
    case DBM_TYPE_NULL: case DBM_TYPE_DOUBLE: case DBM_TYPE_BLOB: case DBM_TYPE_TIMESTAMP: case DBM_TYPE_UUID:
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return dbm__why_not(why, v, "is not a number");
}

DBM__FN dbm_status dbm__to_bool(const dbm_value *v, bool *out, dbm__why *why) {
    static const char *const words[] = { "false", "true", "f", "t", "0", "1", "no", "yes", "off", "on" };
    size_t i;
    *out = false;
    switch (v->type) {
    case DBM_TYPE_BOOL: case DBM_TYPE_INT: case DBM_TYPE_UINT:
        if (v->as.uinteger > 1) return dbm__why_not(why, v, "is neither 0 nor 1");
        *out = v->as.uinteger == 1;
        return DBM_OK;
    case DBM_TYPE_TEXT: case DBM_TYPE_JSON:
        for (i = 0; i < sizeof words / sizeof words[0]; i++) {
            if (!dbm__same_word_n(v->as.text.data, v->as.text.size, words[i])) continue;
            *out = i % 2 == 1;
            return DBM_OK;
        }
        break;
    case DBM_TYPE_NULL: case DBM_TYPE_DOUBLE: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_TIMESTAMP:
    case DBM_TYPE_UUID: case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return dbm__why_not(why, v, "is not a bool");
}

DBM__FN dbm_status dbm__to_timestamp(const dbm_value *v, int64_t *out, dbm__why *why) {
    *out = 0;
    switch (v->type) {
    case DBM_TYPE_TIMESTAMP: case DBM_TYPE_INT:
        *out = v->as.integer;
        return DBM_OK;
    case DBM_TYPE_UINT:
        if (v->as.uinteger > (uint64_t)INT64_MAX) return dbm__why_range(why, v, INT64_MIN, (uint64_t)INT64_MAX);
        *out = (int64_t)v->as.uinteger;
        return DBM_OK;
    case DBM_TYPE_TEXT: case DBM_TYPE_JSON:
        if (dbm__timestamp_read(v->as.text.data, v->as.text.size, out)) return DBM_OK;
        return dbm__why_not(why, v, "is not a timestamp such as 2024-02-29 12:34:56.789012");
    case DBM_TYPE_NULL: case DBM_TYPE_DOUBLE: case DBM_TYPE_BOOL: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID:
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return dbm__why_not(why, v, "is not a timestamp");
}

/* ---- texts --------------------------------------------------------------------------------------------------------- */

DBM__FN const char *dbm__to_text(const dbm_value *v, char *block, size_t capacity, size_t *size) {
    char number[40];
    dbm__text t;
    *size = 0;
    if (DBM__LIKELY(dbm__is_text(v->type))) {
        if (!v->as.text.data) return "";
        *size = v->as.text.size;
        return v->as.text.data;
    }
    if (v->type == DBM_TYPE_NULL || !capacity) return "";
    t = dbm__text_in(block, capacity);
    switch (v->type) {
    case DBM_TYPE_INT: dbm__put_int(&t, v->as.integer); break;
    case DBM_TYPE_UINT: dbm__putf(&t, "%u", v->as.uinteger); break;
    case DBM_TYPE_BOOL: dbm__put(&t, v->as.integer ? "true" : "false"); break;
    case DBM_TYPE_DOUBLE:
        dbm__double_write(v->as.real, number);
        dbm__put(&t, number);
        break;
    case DBM_TYPE_TIMESTAMP:
        dbm__timestamp_write(v->as.integer, number);
        dbm__put(&t, number);
        break;
    case DBM_TYPE_NULL: case DBM_TYPE_TEXT: case DBM_TYPE_BLOB: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON:
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    *size = t.size;
    return block;
}

DBM__DEF const char *dbm_adapter_text(const dbm_value *v, char block[64], size_t *size) {
    size_t unused;
    return dbm__to_text(v, block, 64, size != NULL ? size : &unused);
}

DBM__DEF bool dbm_adapter_timestamp(const char *text, size_t size, int64_t *microseconds) { return dbm__timestamp_read(text, size, microseconds); }

/* ---- elements of arrays, fields of structs ---------------------------------------------------------------------------- */

static bool dbm__element_set(const char *at, size_t size) {
    size_t i;
    for (i = 0; i < size; i++) if (at[i]) return true; /* a bool from elsewhere may be neither 0 nor 1 */
    return false;
}

DBM__FN int64_t dbm__element_int(const char *at, size_t size) {
    if (size == sizeof(int64_t)) { int64_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(int32_t)) { int32_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(int16_t)) { int16_t x; memcpy(&x, at, sizeof x); return x; }
    return (int64_t)*(const signed char *)at;
}

DBM__FN uint64_t dbm__element_uint(const char *at, size_t size) {
    if (size == sizeof(uint64_t)) { uint64_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(uint32_t)) { uint32_t x; memcpy(&x, at, sizeof x); return x; }
    if (size == sizeof(uint16_t)) { uint16_t x; memcpy(&x, at, sizeof x); return x; }
    return (uint64_t)*(const unsigned char *)at;
}

DBM__FN const char *dbm__element_wrong(int kind) {
    return kind == DBM__TO_BUFFER ? "holds no NUL, so its text has no end" : kind == DBM__TO_BYTES ? "has a size and no data" : "is of no type that a database has";
}

DBM__FN dbm_status dbm__from_element(int kind, size_t size, const char *at, dbm_value *out) {
    *out = dbm_null();
    switch ((dbm__target_kind)kind) {
    case DBM__TO_INT: *out = dbm_int(dbm__element_int(at, size)); return DBM_OK;
    case DBM__TO_UINT: {
        uint64_t x = dbm__element_uint(at, size);
        *out = x <= (uint64_t)INT64_MAX ? dbm_int((int64_t)x) : dbm_uint(x);
        return DBM_OK;
    }
    case DBM__TO_REAL:
        if (size == sizeof(float)) { float x; memcpy(&x, at, sizeof x); *out = dbm_double((double)x); }
        else { double x; memcpy(&x, at, sizeof x); *out = dbm_double(x); }
        return DBM_OK;
    case DBM__TO_BOOL: *out = dbm_bool(dbm__element_set(at, size)); return DBM_OK;
    case DBM__TO_TEXT: {
        const char *x;
        memcpy(&x, at, sizeof x);
        if (x != NULL) *out = dbm_textn(x, strlen(x));
        return DBM_OK;
    }
    case DBM__TO_BUFFER: {
        const char *nul = (const char *)memchr(at, 0, size);
        if (nul == NULL) return DBM_E_RANGE;
        *out = dbm_textn(at, (size_t)(nul - at));
        return DBM_OK;
    }
    case DBM__TO_BYTES: {
        dbm_bytes x;
        memcpy(&x, at, sizeof x);
        if (x.data == NULL && x.size != 0) return DBM_E_MISUSE;
        *out = dbm_blob(x.data, x.size);
        return DBM_OK;
    }
    case DBM__TO_VALUE:
        memcpy(out, at, sizeof *out);
        return dbm__value_complete(out) ? DBM_OK : DBM_E_MISUSE;
    case DBM__TO_OPTIONAL_INT:
        if (!dbm__element_set(at + offsetof(dbm_optional_int, has), sizeof(bool))) return DBM_OK;
        return dbm__from_element(DBM__TO_INT, sizeof(int64_t), at + offsetof(dbm_optional_int, value), out);
    case DBM__TO_OPTIONAL_DOUBLE:
        if (!dbm__element_set(at + offsetof(dbm_optional_double, has), sizeof(bool))) return DBM_OK;
        return dbm__from_element(DBM__TO_REAL, sizeof(double), at + offsetof(dbm_optional_double, value), out);
    case DBM__TO_OPTIONAL_BOOL:
        if (!dbm__element_set(at + offsetof(dbm_optional_bool, has), sizeof(bool))) return DBM_OK;
        return dbm__from_element(DBM__TO_BOOL, sizeof(bool), at + offsetof(dbm_optional_bool, value), out);
    case DBM__TO_SIGNED: break;
    }
    return DBM_E_MISUSE;
}

DBM__DEF dbm_status dbm_adapter_element(const dbm_column *column, size_t i, dbm_value *out) {
    const char *at = (const char *)column->data + i * (column->stride != 0 ? column->stride : column->size);
    dbm_status st;
    if (column->nulls != NULL && (column->nulls[i / 8] >> i % 8 & 1) != 0) {
        *out = dbm_null();
        return DBM_OK;
    }
    st = dbm__from_element(column->kind, column->size, at, out);
    if (column->type != DBM_TYPE_NULL && out->type != DBM_TYPE_NULL) out->type = column->type;
    return st;
}

/* ---- targets ------------------------------------------------------------------------------------------------------- */

/* An integer's low bytes; sizes that no integer has are taken for 1. */
static void dbm__target_whole(const dbm_target *t, uint64_t x) {
    uint32_t x4 = (uint32_t)x;
    uint16_t x2 = (uint16_t)x;
    uint8_t x1 = (uint8_t)x;
    if (t->size == sizeof x) memcpy(t->to, &x, sizeof x);
    else if (t->size == sizeof x4) memcpy(t->to, &x4, sizeof x4);
    else if (t->size == sizeof x2) memcpy(t->to, &x2, sizeof x2);
    else memcpy(t->to, &x1, sizeof x1);
}

/* How far INT64_MAX and UINT64_MAX are shifted down to be an integer's largest. */
static int dbm__target_narrow(const dbm_target *t) { return t->size == 8 ? 0 : t->size == 4 ? 32 : t->size == 2 ? 48 : 56; }

static dbm_status dbm__target_int(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    int64_t x, max = INT64_MAX >> dbm__target_narrow(t);
    dbm_status st = dbm__to_int(v, -max - 1, max, &x, why);
    dbm__target_whole(t, (uint64_t)x);
    return st;
}

static dbm_status dbm__target_uint(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    uint64_t x;
    dbm_status st = dbm__to_uint(v, UINT64_MAX >> dbm__target_narrow(t), &x, why);
    dbm__target_whole(t, x);
    return st;
}

static dbm_status dbm__target_real(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    double x;
    dbm_status st = dbm__to_double(v, &x, why);
    if (t->size == sizeof(double)) {
        memcpy(t->to, &x, sizeof x);
    } else {
        float y = 0;
#if DBM__FLOAT
        const double limit = 340282356779733661637539395458142568448.0; /* halfway from FLT_MAX to the next: rounds up */
        if ((x >= limit || x <= -limit) && x <= DBL_MAX && x >= -DBL_MAX) st = dbm__why_not(why, v, "does not fit float");
        else y = (float)x;
#else
        if (st == DBM_OK) st = dbm__why_not(why, v, "can't be made a float: DBM_NO_FLOAT");
#endif
        memcpy(t->to, &y, sizeof y);
    }
    return st;
}

/* char[N]: what fits is there, whole UTF-8 sequences and a NUL, also when not all fitted. */
static dbm_status dbm__target_buffer(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    char block[64];
    size_t size, whole;
    const char *text = dbm__to_text(v, block, sizeof block, &size), *nul;
    dbm__text in = dbm__text_in((char *)t->to, t->size);
    nul = size ? (const char *)memchr(text, 0, size) : NULL;
    whole = nul ? (size_t)(nul - text) : size;
    dbm__put_n(&in, text, whole);
    if (nul) {
        dbm__format(why->text, sizeof why->text,
                    "a text of %z bytes has a byte 0 at %z, which ends it in char[%z]; scan it into dbm_bytes", size, whole, t->size);
        return DBM_E_RANGE;
    }
    if (in.cut || !t->size) {
        dbm__format(why->text, sizeof why->text, "a text of %z bytes and its NUL do not fit char[%z]", size, t->size);
        return DBM_E_RANGE;
    }
    return DBM_OK;
}

static dbm_status dbm__target_bytes(const dbm_value *v, const dbm_target *t, dbm__why *why) {
    dbm_bytes bytes;
    bool ok = dbm__is_text(v->type) || v->type == DBM_TYPE_NULL;
    bytes.data = NULL;
    bytes.size = 0;
    if (dbm__is_text(v->type)) {
        bytes.data = (const unsigned char *)(v->as.text.data ? v->as.text.data : ""); /* NULL is SQL NULL alone */
        bytes.size = v->as.text.data ? v->as.text.size : 0;
    }
    memcpy(t->to, &bytes, sizeof bytes);
    return ok ? DBM_OK : dbm__why_not(why, v, "is neither a text nor a blob");
}

DBM__FN dbm_status dbm__to_target(const dbm_value *v, const dbm_target *t, char *text_block, size_t text_capacity, dbm__why *why) {
    dbm_status st = DBM_OK;
    bool has = v->type != DBM_TYPE_NULL;
    switch ((dbm__target_kind)t->kind) {
    case DBM__TO_INT: return dbm__target_int(v, t, why);
    case DBM__TO_UINT: return dbm__target_uint(v, t, why);
    case DBM__TO_REAL: return dbm__target_real(v, t, why);
    case DBM__TO_BUFFER: return dbm__target_buffer(v, t, why);
    case DBM__TO_BYTES: return dbm__target_bytes(v, t, why);
    case DBM__TO_BOOL: {
        bool x;
        st = dbm__to_bool(v, &x, why);
        memcpy(t->to, &x, sizeof x);
        return st;
    }
    case DBM__TO_TEXT: { /* NULL and "" are told apart */
        size_t size;
        const char *x = has ? dbm__to_text(v, text_block, text_capacity, &size) : NULL;
        if (has && text_capacity < 64 && !dbm__is_text(v->type)) { /* nowhere to write it out */
            x = "";
            st = dbm__why_not(why, v, "has no room to be a text");
        }
        memcpy(t->to, &x, sizeof x);
        return st;
    }
    case DBM__TO_VALUE:
        memcpy(t->to, v, sizeof *v);
        return DBM_OK;
#define DBM__OPTIONAL(type, conversion) { \
        type x; \
        memset(&x, 0, sizeof x); \
        if (has) st = conversion; \
        x.has = has && st == DBM_OK; \
        memcpy(t->to, &x, sizeof x); \
        return st; \
    }
    case DBM__TO_OPTIONAL_INT: DBM__OPTIONAL(dbm_optional_int, dbm__to_int(v, INT64_MIN, INT64_MAX, &x.value, why))
    case DBM__TO_OPTIONAL_DOUBLE: DBM__OPTIONAL(dbm_optional_double, dbm__to_double(v, &x.value, why))
    case DBM__TO_OPTIONAL_BOOL: DBM__OPTIONAL(dbm_optional_bool, dbm__to_bool(v, &x.value, why))
#undef DBM__OPTIONAL
    case DBM__TO_SIGNED: break;
    }
    dbm__format(why->text, sizeof why->text, "the target's kind %d is not known; make it by dbm_to_...()", t->kind);
    return DBM_E_MISUSE;
}

/* ---- timestamps ---------------------------------------------------------------------------------------------------------
 * Proleptic Gregorian calendar, UTC, without leap seconds. Days are counted in eras of 400 years that begin on a 1st of March, so
 * that the leap day is the last of its year. */

#define DBM__DAY_US (INT64_C(86400) * 1000000)

DBM__FN int64_t dbm__days_of(int64_t year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year, era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

DBM__FN char *dbm__put_digits(char *at, char before, int64_t v, int digits) {
    int i;
    if (before) *at++ = before;
    for (i = digits - 1; i >= 0; i--) {
        at[i] = (char)('0' + (int)(v % 10));
        v /= 10;
    }
    return at + digits;
}

DBM__FN void dbm__calendar_of(int64_t us, dbm__calendar *out) {
    int64_t days = us / DBM__DAY_US, rest = us % DBM__DAY_US, era, of_era, year_of_era, of_year;
    int shifted;
    if (rest < 0) { rest += DBM__DAY_US; days--; }
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    of_era = days - era * 146097;
    year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted = (int)((5 * of_year + 2) / 153);
    out->month = shifted < 10 ? shifted + 3 : shifted - 9;
    out->year = era * 400 + year_of_era + (out->month <= 2 ? 1 : 0);
    out->day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    out->hour = (int)(rest / INT64_C(3600000000));
    out->minute = (int)(rest / 60000000 % 60);
    out->second = (int)(rest / 1000000 % 60);
    out->us = (int)(rest % 1000000);
}

DBM__FN void dbm__timestamp_write(int64_t us, char block[32]) {
    dbm__calendar c;
    char *at = block;
    dbm__calendar_of(us, &c);
    if (c.year < 0 || c.year > 9999) at = dbm__put_digits(at, c.year < 0 ? '-' : '+', c.year < 0 ? -c.year : c.year, 6); /* ISO 8601's expanded years: to be read by people only */
    else at = dbm__put_digits(at, 0, c.year, 4);
    at = dbm__put_digits(at, '-', c.month, 2);
    at = dbm__put_digits(at, '-', c.day, 2);
    at = dbm__put_digits(at, ' ', c.hour, 2);
    at = dbm__put_digits(at, ':', c.minute, 2);
    at = dbm__put_digits(at, ':', c.second, 2);
    if (c.us != 0) at = dbm__put_digits(at, '.', c.us, 6); /* without a fraction it is, byte for byte, what SQLite's CURRENT_TIMESTAMP writes */
    *at = 0;
}

/* A text being read from its front. */
typedef struct dbm__reader { const char *at, *end; } dbm__reader;

static bool dbm__reader_sign(dbm__reader *r, char sign) {
    if (r->at == r->end || *r->at != sign) return false;
    r->at++;
    return true;
}

/* Exactly `digits` digits, of a number within min and max. */
static bool dbm__reader_number(dbm__reader *r, int digits, int min, int max, int *out) {
    int v = 0;
    for (; digits; digits--) {
        if (r->at == r->end || *r->at < '0' || *r->at > '9') return false;
        v = v * 10 + (*r->at++ - '0');
    }
    *out = v;
    return v >= min && v <= max;
}

/* Z, +hh, +hhmm, +hh:mm, +hh:mm:ss, or nothing; seconds east of UTC. */
static bool dbm__reader_zone(dbm__reader *r, int *seconds) {
    int hours = 0, minutes = 0, more = 0;
    bool west, colon;
    *seconds = 0;
    if (r->at == r->end) return true;
    (void)dbm__reader_sign(r, ' ');
    if (dbm__reader_sign(r, 'Z') || dbm__reader_sign(r, 'z')) return true;
    west = dbm__reader_sign(r, '-');
    if (!west && !dbm__reader_sign(r, '+')) return false;
    if (!dbm__reader_number(r, 2, 0, 23, &hours)) return false;
    if (r->at < r->end) {
        colon = dbm__reader_sign(r, ':');
        if (!dbm__reader_number(r, 2, 0, 59, &minutes)) return false;
        if (colon && dbm__reader_sign(r, ':') && !dbm__reader_number(r, 2, 0, 59, &more)) return false;
    }
    *seconds = (hours * 60 + minutes) * 60 + more;
    if (west) *seconds = -*seconds;
    return true;
}

/* Up to nine digits; those below microseconds must be zeros. */
static bool dbm__reader_fraction(dbm__reader *r, int64_t *us) {
    int digits = 0;
    int64_t v = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++, digits++) {
        if (digits >= 9 || (digits >= 6 && *r->at != '0')) return false;
        if (digits < 6) v = v * 10 + (*r->at - '0');
    }
    if (!digits) return false;
    for (; digits < 6; digits++) v *= 10;
    *us = v;
    return true;
}

DBM__FN bool dbm__timestamp_read(const char *text, size_t size, int64_t *us) {
    static const char lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    dbm__reader r;
    int year, month, day, hour = 0, minute = 0, second = 0, zone = 0;
    int64_t fraction = 0, days;
    bool leap;
    *us = 0;
    if (!text) return false;
    r.at = text;
    r.end = text + size;
    if (!dbm__reader_number(&r, 4, 1, 9999, &year) || !dbm__reader_sign(&r, '-')) return false;
    if (!dbm__reader_number(&r, 2, 1, 12, &month) || !dbm__reader_sign(&r, '-')) return false;
    if (!dbm__reader_number(&r, 2, 1, 31, &day)) return false;
    leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day > lengths[month - 1] + (month == 2 && leap ? 1 : 0)) return false;
    if (r.at != r.end) {
        if (!dbm__reader_sign(&r, ' ') && !dbm__reader_sign(&r, 'T') && !dbm__reader_sign(&r, 't')) return false;
        if (!dbm__reader_number(&r, 2, 0, 23, &hour) || !dbm__reader_sign(&r, ':')) return false;
        if (!dbm__reader_number(&r, 2, 0, 59, &minute)) return false;
        if (dbm__reader_sign(&r, ':')) {
            bool point;
            if (!dbm__reader_number(&r, 2, 0, 59, &second)) return false;
            point = dbm__reader_sign(&r, '.') || dbm__reader_sign(&r, ',');
            if (point && !dbm__reader_fraction(&r, &fraction)) return false;
        }
        if (!dbm__reader_zone(&r, &zone) || r.at != r.end) return false;
    }
    days = dbm__days_of(year, month, day);
    *us = days * DBM__DAY_US + ((int64_t)(hour * 60 + minute) * 60 + second - zone) * 1000000 + fraction;
    if (*us >= dbm__days_of(1, 1, 1) * DBM__DAY_US && *us < dbm__days_of(10000, 1, 1) * DBM__DAY_US) return true;
    *us = 0; /* its zone moved it out of the years that can be written */
    return false;
}

/* ---- doubles ------------------------------------------------------------------------------------------------------------
 * Exact, by integers of many words: the C library's functions follow the locale, are large, or are missing. Reading divides one
 * such integer by another; writing makes digits until they tell the number from its neighbours (Steele and White, Dragon4). */

#if DBM__FLOAT

/* words[0] is the lowest; the highest of n is not 0. The room is the caller's. */
typedef struct dbm__big { uint32_t *words; int n; } dbm__big;

static void dbm__big_set(dbm__big *b, uint64_t v) {
    b->n = 0;
    for (; v; v >>= 32) b->words[b->n++] = (uint32_t)v;
}

static void dbm__big_multiply(dbm__big *b, uint32_t factor, uint32_t plus) {
    uint64_t carry = plus;
    int i;
    for (i = 0; i < b->n; i++) {
        carry += (uint64_t)b->words[i] * factor;
        b->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) b->words[b->n++] = (uint32_t)carry;
}

static void dbm__big_times_5(dbm__big *b, int power) {
    static const uint32_t powers[] = { 1, 5, 25, 125, 625, 3125, 15625, 78125, 390625, 1953125, 9765625, 48828125, 244140625 };
    for (; power >= 13; power -= 13) dbm__big_multiply(b, 1220703125u, 0);
    if (power) dbm__big_multiply(b, powers[power], 0);
}

static void dbm__big_shift(dbm__big *b, int bits) {
    int words = bits / 32, i;
    bits %= 32;
    if (!b->n) return;
    if (bits) {
        uint32_t over = 0;
        for (i = 0; i < b->n; i++) {
            uint32_t w = b->words[i];
            b->words[i] = w << bits | over;
            over = w >> (32 - bits);
        }
        if (over) b->words[b->n++] = over;
    }
    if (words) {
        memmove(b->words + words, b->words, (size_t)b->n * sizeof b->words[0]);
        memset(b->words, 0, (size_t)words * sizeof b->words[0]);
        b->n += words;
    }
}

static int dbm__big_compare(const dbm__big *a, const dbm__big *b) {
    int i;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    for (i = a->n - 1; i >= 0; i--) if (a->words[i] != b->words[i]) return a->words[i] < b->words[i] ? -1 : 1;
    return 0;
}

static void dbm__big_add(dbm__big *a, const dbm__big *b) {
    uint64_t carry = 0;
    int i;
    for (i = 0; i < b->n || (carry && i < a->n); i++) {
        if (i == a->n) a->words[a->n++] = 0;
        carry += (uint64_t)a->words[i] + (i < b->n ? b->words[i] : 0u);
        a->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) a->words[a->n++] = (uint32_t)carry;
}

/* b is not larger than a. */
static void dbm__big_subtract(dbm__big *a, const dbm__big *b) {
    uint64_t borrow = 0;
    int i;
    for (i = 0; i < b->n || borrow; i++) {
        uint64_t part;
        DBM_ASSERT(i < a->n);
        part = (uint64_t)a->words[i] - (i < b->n ? b->words[i] : 0u) - borrow;
        a->words[i] = (uint32_t)part;
        borrow = part >> 63;
    }
    while (a->n && !a->words[a->n - 1]) a->n--;
}

static int dbm__big_bits(const dbm__big *b) {
    int bits = b->n * 32;
    uint32_t top = b->n ? b->words[b->n - 1] : 1u;
    for (; !(top >> 31); top <<= 1) bits--;
    return b->n ? bits : 0;
}

/* Makes a double of q * 2^exponent, and a little more when `more`, rounded to nearest, ties to even. False: too large. */
static bool dbm__double_make(uint64_t q, int exponent, bool more, uint64_t *bits) {
    int drop = 11; /* 53 of the 64 bits stay, fewer below the smallest normal number */
    uint64_t lost, half, m;
    for (; !(q >> 63); q <<= 1) exponent--;
    exponent += 63; /* now the value is 1.x * 2^exponent */
    if (exponent > 1023) return false;
    if (exponent < -1022) drop += -1022 - exponent;
    if (drop > 64) {
        *bits = 0;
        return true;
    }
    m = drop == 64 ? 0 : q >> drop;
    lost = drop == 64 ? q : q & ((UINT64_C(1) << drop) - 1);
    half = UINT64_C(1) << (drop - 1);
    if (lost > half || (lost == half && (more || (m & 1u)))) m++;
    *bits = m; /* its 53rd bit, also when rounding up makes it, counts the exponent up by one */
    if (exponent >= -1022) *bits += (uint64_t)(exponent + 1022) << 52;
    return *bits < UINT64_C(0x7FF) << 52;
}

enum { DBM__READ_DIGITS = 800, DBM__READ_WORDS = 90, DBM__WRITE_WORDS = 40 }; /* 767 digits can tell two doubles apart */

/* digits * 10^exponent, not 0; below 10^311 and not below 10^-325. `more`: digits were left out that are not all 0. */
static bool dbm__double_exact(dbm__big *digits, int exponent, bool more, uint64_t *bits) {
    uint32_t room[DBM__READ_WORDS];
    dbm__big by;
    uint64_t q = 0;
    int shift, i;
    if (exponent >= 0) {
        dbm__big_times_5(digits, exponent);
        shift = dbm__big_bits(digits) - 64;
        if (shift < 0) dbm__big_shift(digits, -shift);
        for (i = digits->n * 32 - 1; i >= 0; i--) { /* the 64 highest bits, and whether there are others */
            uint32_t bit = digits->words[i / 32] >> (i % 32) & 1u;
            if (q >> 63) more = more || bit;
            else q = q << 1 | bit;
        }
        return dbm__double_make(q, shift + exponent, more, bits);
    }
    by.words = room;
    dbm__big_set(&by, 1);
    dbm__big_times_5(&by, -exponent);
    shift = dbm__big_bits(&by) - dbm__big_bits(digits) - 1;
    dbm__big_shift(shift >= 0 ? digits : &by, shift >= 0 ? shift : -shift); /* now digits / by is between 1/4 and 1 */
    for (i = 0; i < 64; i++) {
        dbm__big_shift(digits, 1);
        q <<= 1;
        if (dbm__big_compare(digits, &by) < 0) continue;
        dbm__big_subtract(digits, &by);
        q |= 1u;
    }
    return dbm__double_make(q, exponent - shift - 64, more || digits->n, bits);
}

/* [+-](inf | infinity | nan), which SQL writes in many ways. */
static bool dbm__double_word(const char *text, size_t size, uint64_t *bits) {
    if (dbm__same_word_n(text, size, "inf") || dbm__same_word_n(text, size, "infinity")) *bits = UINT64_C(0x7FF) << 52;
    else if (dbm__same_word_n(text, size, "nan")) *bits = UINT64_C(0x7FF8) << 48;
    else return false;
    return true;
}

DBM__FN bool dbm__double_read(const char *text, size_t size, double *out) {
    static const double tens[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    static const uint32_t scale[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };
    uint32_t room[DBM__READ_WORDS], part = 0;
    uint64_t first = 0, bits = 0; /* the digits, while they fit */
    int64_t exponent = 0, written = 0;
    size_t i = 0, from;
    int count = 0, parts = 0;
    bool negative, point = false, any = false, more = false, minus, ok = true;
    dbm__big digits;

    *out = 0;
    if (!text) return false;
    negative = size && text[0] == '-';
    if (size && (text[0] == '-' || text[0] == '+')) i = 1;
    digits.words = room;
    digits.n = 0;
    for (from = i; i < size; i++) {
        uint32_t digit;
        if (text[i] == '.' && !point) { point = true; continue; }
        if (text[i] < '0' || text[i] > '9') break;
        digit = (uint32_t)(text[i] - '0');
        any = true;
        if (point) exponent--;
        if (!count && !digit) continue;
        if (count == DBM__READ_DIGITS) {
            exponent++;
            more = more || digit;
            continue;
        }
        count++;
        if (count <= 19) first = first * 10u + digit;
        part = part * 10u + digit;
        if (++parts == 9) {
            dbm__big_multiply(&digits, scale[9], part);
            part = 0;
            parts = 0;
        }
    }
    if (!any) {
        ok = dbm__double_word(text + from, size - from, &bits);
        if (negative) bits |= UINT64_C(1) << 63;
        if (ok) memcpy(out, &bits, sizeof bits);
        return ok;
    }
    if (i < size && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        minus = i < size && text[i] == '-';
        if (i < size && (text[i] == '-' || text[i] == '+')) i++;
        if (i == size) return false;
        for (; i < size && text[i] >= '0' && text[i] <= '9'; i++) {
            if (written < INT64_MAX / 100) written = written * 10 + (text[i] - '0');
        }
        exponent += minus ? -written : written;
    }
    if (i != size) return false;
    if (count && exponent + count > 310) return false;
    if (count && exponent + count >= -324) {
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
        if (first < UINT64_C(1) << 53 && count <= 19 && exponent >= -22 && exponent <= 22) { /* both exact, so one rounding only */
            *out = exponent < 0 ? (double)first / tens[-exponent] : (double)first * tens[exponent];
            if (negative) *out = -*out;
            return true;
        }
#else
        (void)tens;
#endif
        if (parts) dbm__big_multiply(&digits, scale[parts], part);
        ok = dbm__double_exact(&digits, (int)exponent, more, &bits);
    }
    if (!ok) return false;
    if (negative) bits |= UINT64_C(1) << 63;
    memcpy(out, &bits, sizeof bits);
    return true;
}

/* The shortest digits of m * 2^exponent that no neighbour is nearer to; the value is 0.ddd * 10^*point. Returns how many. */
static int dbm__double_digits(uint64_t m, int exponent, char digits[20], int *point) {
    uint32_t room[4][DBM__WRITE_WORDS];
    dbm__big n[4], *value = &n[0], *unit = &n[1], *above = &n[2], *below = &n[3]; /* value / unit is what is left; above and below are half the way to the neighbours */
    bool even = !(m & 1u), low, high;
    bool edge = m == UINT64_C(1) << 52 && exponent > -1074; /* the neighbour below is nearer than the one above */
    int32_t length, power;
    int bits = 0, count = 0, up = exponent > 0 ? exponent : 0, i;
    uint64_t top;
    for (top = m; top; top >>= 1) bits++;
    for (i = 0; i < 4; i++) {
        n[i].words = room[i];
        dbm__big_set(&n[i], i == 0 ? m : 1);
    }
    dbm__big_shift(value, up + (edge ? 2 : 1));
    dbm__big_shift(unit, up - exponent + (edge ? 2 : 1));
    dbm__big_shift(above, up + (edge ? 1 : 0));
    dbm__big_shift(below, up);
    length = (exponent + bits - 1) * 78913; /* log10(2) * 2^18 */
    power = (length >= 0 ? length : length - 262143) / 262144 + 1; /* right, or one too low */
    for (i = 0; i < 4; i++) {
        if (power >= 0 ? i != 1 : i == 1) continue; /* the unit grows, or all the others */
        dbm__big_times_5(&n[i], power >= 0 ? power : -power);
        dbm__big_shift(&n[i], power >= 0 ? power : -power);
    }
    dbm__big_add(value, above);
    high = dbm__big_compare(value, unit) >= (even ? 0 : 1);
    dbm__big_subtract(value, above);
    *point = high ? power + 1 : power;
    for (;;) {
        int digit = 0;
        for (i = 0; i < 4 && (count || !high); i++) if (i != 1) dbm__big_multiply(&n[i], 10, 0);
        while (dbm__big_compare(value, unit) >= 0) {
            dbm__big_subtract(value, unit);
            digit++;
        }
        low = dbm__big_compare(value, below) < (even ? 1 : 0);
        dbm__big_add(value, above);
        high = dbm__big_compare(value, unit) >= (even ? 0 : 1);
        if (!low && !high && count < 17) {
            dbm__big_subtract(value, above);
            digits[count++] = (char)('0' + digit);
            continue;
        }
        if (low && high) {
            dbm__big_subtract(value, above);
            dbm__big_shift(value, 1);
            high = dbm__big_compare(value, unit) >= (digit & 1 ? 0 : 1);
        }
        digits[count++] = (char)('0' + digit + (high ? 1 : 0));
        return count;
    }
}

#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
/* What has up to 8 digits behind the point and 15 in all, as most that people write have: such digits are told from all others by the one division
 * that reads them back. 0: it has more. */
static int dbm__double_few(double v, char digits[20], int *point) {
    static const double scales[] = { 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8 };
    int behind, count = 0, i;
    if (v < 0.0) v = -v;
    for (behind = 1; behind <= 8; behind++) {
        double scale = scales[behind - 1];
        int64_t whole, left;
        if (v * scale >= 1e15) break;
        whole = left = (int64_t)(v * scale + 0.5);
        if ((double)whole / scale != v) continue;
        for (; left != 0; left /= 10) count++;
        for (i = count; i-- > 0; whole /= 10) digits[i] = (char)('0' + whole % 10);
        *point = count - behind;
        return count;
    }
    return 0;
}
#else
static int dbm__double_few(double v, char digits[20], int *point) { (void)v; (void)digits; (void)point; return 0; }
#endif

DBM__FN void dbm__double_write(double v, char block[40]) {
    char digits[20];
    uint64_t bits, m;
    int exponent, count, point, i;
    dbm__text t = dbm__text_in(block, 40);
    memcpy(&bits, &v, sizeof bits);
    m = bits & ((UINT64_C(1) << 52) - 1);
    exponent = (int)(bits >> 52 & 0x7FFu);
    if (exponent == 0x7FF && m) {
        dbm__put(&t, "nan");
        return;
    }
    if (bits >> 63) dbm__put_n(&t, "-", 1);
    if (exponent == 0x7FF) {
        dbm__put(&t, "inf");
        return;
    }
    if (exponent) m |= UINT64_C(1) << 52;
    else exponent = 1;
    exponent -= 1075;
    if (!m || (exponent <= 0 && exponent > -53 && !(m & ((UINT64_C(1) << -exponent) - 1)))) { /* an integer of up to 53 bits */
        dbm__put_int(&t, m ? (int64_t)(m >> -exponent) : 0);
        return;
    }
    count = dbm__double_few(v, digits, &point);
    if (count == 0) count = dbm__double_digits(m, exponent, digits, &point);
    if (point > -4 && point <= 0) { /* 0.000123 */
        dbm__put(&t, "0.");
        for (i = point; i < 0; i++) dbm__put_n(&t, "0", 1);
        dbm__put_n(&t, digits, (size_t)count);
    } else if (point > 0 && point <= 16) { /* 123.45, 12300 */
        dbm__put_n(&t, digits, (size_t)(count < point ? count : point));
        for (i = count; i < point; i++) dbm__put_n(&t, "0", 1);
        if (count > point) {
            dbm__put_n(&t, ".", 1);
            dbm__put_n(&t, digits + point, (size_t)(count - point));
        }
    } else { /* 1.23e-07 */
        dbm__put_n(&t, digits, 1);
        if (count > 1) dbm__put_n(&t, ".", 1);
        dbm__put_n(&t, digits + 1, (size_t)(count - 1));
        point--;
        dbm__put(&t, point < 0 ? "e-" : "e+");
        if (point < 0) point = -point;
        if (point < 10) dbm__put_n(&t, "0", 1);
        dbm__put_int(&t, point);
    }
}

#else /* !DBM__FLOAT */

DBM__FN bool dbm__double_read(const char *text, size_t size, double *out) {
    (void)text;
    (void)size;
    *out = 0;
    return false;
}

DBM__FN void dbm__double_write(double v, char block[40]) {
    (void)v;
    block[0] = 0;
}

#endif
