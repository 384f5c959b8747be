/* PostgreSQL's COPY: the rows of a bulk in its binary form, or in its text form where a column has a type that is not known here.
 * May call: api/, base/, sql/ (conversions), what postgresql.h declares, and libpq.
 * Must not know: how commands are sent and answered, pools, sessions, other adapters. */
#include "postgresql.h"
#include "../sql/sql.h"
#if DBM_HAS_POSTGRESQL && !defined(DBM__PG_MISSING)

/* The server checks of a binary row only that each cell has its type's size, so a wrong type could be stored as a wrong value of the same size. That
 * is why each bulk asks for the columns' types, in the round trip of its BEGIN or SAVEPOINT, and remembers none: the lock that the question takes
 * keeps the table as it is until the transaction ends. One column of another type than those below makes all rows texts, which the
 * server reads exactly for any type. */
enum { /* how a column is written; the first ones in the order of dbm__pg_limits */
    DBM__PG_AS_INT2, DBM__PG_AS_INT4, DBM__PG_AS_INT8, DBM__PG_AS_OID, DBM__PG_AS_BOOL, DBM__PG_AS_FLOAT4, DBM__PG_AS_FLOAT8, DBM__PG_AS_TEXT,
    DBM__PG_AS_JSONB, DBM__PG_AS_BYTEA, DBM__PG_AS_NUMERIC, DBM__PG_AS_DATE, DBM__PG_AS_TIME, DBM__PG_AS_TIMESTAMP, DBM__PG_AS_TIMESTAMPTZ,
    DBM__PG_AS_UUID, DBM__PG_AS_OTHER
};
static const struct { int64_t min, max; int size; } dbm__pg_limits[] = {
    { INT16_MIN, INT16_MAX, 2 }, { INT32_MIN, INT32_MAX, 4 }, { INT64_MIN, INT64_MAX, 8 }, { 0, UINT32_MAX, 4 }
};

#define DBM__PG_COPY_ROOM ((size_t)65536) /* rows are sent when there are about as many bytes */
#define DBM__PG_COPY_CELL ((size_t)20)    /* the largest one of a fixed size, a UUID */
#define DBM__PG_DAY_US INT64_C(86400000000)

struct dbm__pg_copy {
    dbm_database *db;
    dbm_bulk_plan *plan;
    PGresult *columns;       /* as the server described them */
    char *rows;
    size_t size, capacity, sent;
    bool binary;
    unsigned char *how, *fast;
    char *select, *command;
};

DBM__FN dbm__pg_copy *dbm__pg_copy_make(dbm_database *db, dbm_bulk_plan *plan) {
    size_t n = (size_t)plan->column_count, names = strlen(plan->table), size;
    dbm__pg_copy *k;
    dbm__text list;
    int i;
    for (i = 0; i < plan->column_count; i++) names += strlen(plan->columns[i]) + 2;
    names += 64;
    size = sizeof *k + 2 * n + 2 * names;
    k = (dbm__pg_copy *)dbm_adapter_alloc(db, size);
    if (k == NULL) return NULL;
    memset(k, 0, size);
    k->db = db;
    k->plan = plan;
    k->how = (unsigned char *)(k + 1);
    k->fast = k->how + n;
    k->select = (char *)(k->fast + n);
    k->command = k->select + names;
    list = dbm__text_in(k->select, names);
    dbm__put(&list, "SELECT ");
    for (i = 0; i < plan->column_count; i++) dbm__putf(&list, "%s%s", i > 0 ? ", " : "", plan->columns[i]);
    i = (int)list.size - 7;
    dbm__putf(&list, " FROM %s", plan->table);
    list = dbm__text_in(k->command, names);
    dbm__putf(&list, "COPY %s (", plan->table);
    dbm__put_n(&list, k->select + 7, (size_t)i);
    dbm__put(&list, ") FROM STDIN");
    return k;
}

DBM__FN void dbm__pg_copy_free(dbm__pg_copy *k) {
    if (k == NULL) return;
    if (k->columns != NULL) PQclear(k->columns);
    dbm_adapter_free(k->db, k->rows);
    dbm_adapter_free(k->db, k);
}

DBM__FN const char *dbm__pg_copy_select(const dbm__pg_copy *k) { return k->select; }
DBM__FN const char *dbm__pg_copy_command(const dbm__pg_copy *k) { return k->command; }

static unsigned char dbm__pg_copy_how(Oid type, bool utc) {
    switch ((int)type) {
    case DBM__PG_INT2: return DBM__PG_AS_INT2;
    case DBM__PG_INT4: return DBM__PG_AS_INT4;
    case DBM__PG_INT8: return DBM__PG_AS_INT8;
    case DBM__PG_OID: return DBM__PG_AS_OID;
    case DBM__PG_BOOL: return DBM__PG_AS_BOOL;
    case DBM__PG_FLOAT4: return DBM__PG_AS_FLOAT4;
    case DBM__PG_FLOAT8: return DBM__PG_AS_FLOAT8;
    case DBM__PG_TEXT: case DBM__PG_VARCHAR: case DBM__PG_BPCHAR: case DBM__PG_NAME: case DBM__PG_JSON: return DBM__PG_AS_TEXT;
    case DBM__PG_JSONB: return DBM__PG_AS_JSONB;
    case DBM__PG_BYTEA: return DBM__PG_AS_BYTEA;
    case DBM__PG_NUMERIC: return DBM__PG_AS_NUMERIC;
    case DBM__PG_DATE: return DBM__PG_AS_DATE;
    case DBM__PG_TIME: return DBM__PG_AS_TIME;
    case DBM__PG_TIMESTAMP: return DBM__PG_AS_TIMESTAMP;
    case DBM__PG_TIMESTAMPTZ: return utc ? DBM__PG_AS_TIMESTAMPTZ : DBM__PG_AS_OTHER; /* a text without a zone is in the session's own */
    case DBM__PG_UUID: return DBM__PG_AS_UUID;
    default: return DBM__PG_AS_OTHER;
    }
}

/* ---- the buffer -------------------------------------------------------------------------------------------------- */

DBM__INLINE bool dbm__pg_copy_room(dbm__pg_copy *k, size_t need) { return dbm__pg_grow(k->db, &k->rows, &k->capacity, k->size + need); }

/* Cells. */
DBM__INLINE char *dbm__pg_to_number(char *to, int size, int64_t v) {
    to = dbm__pg_to32(to, (uint32_t)size);
    return size == 8 ? dbm__pg_to64(to, (uint64_t)v) : size == 4 ? dbm__pg_to32(to, (uint32_t)v) : dbm__pg_to16(to, (uint32_t)v & 0xFFFFu);
}
DBM__INLINE char *dbm__pg_to_double(char *to, double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return dbm__pg_to_number(to, 8, bits);
}
/* The same at the end of the buffer. */
static void dbm__pg_put16(dbm__pg_copy *k, uint32_t v) { k->size = (size_t)(dbm__pg_to16(k->rows + k->size, v) - k->rows); }
static void dbm__pg_put32(dbm__pg_copy *k, uint32_t v) { k->size = (size_t)(dbm__pg_to32(k->rows + k->size, v) - k->rows); }
static void dbm__pg_put_number(dbm__pg_copy *k, int size, int64_t v) { k->size = (size_t)(dbm__pg_to_number(k->rows + k->size, size, v) - k->rows); }

static dbm_status dbm__pg_wrong(dbm__why *why, const char *text) {
    dbm__copy_cut(why->text, sizeof why->text, text);
    return DBM_E_RANGE;
}

/* A cell of bytes, with room behind it for all cells of fixed size that a row can have. */
static dbm_status dbm__pg_put_bytes(dbm__pg_copy *k, const char *data, size_t size, dbm__why *why) {
    if (DBM__UNLIKELY(size >= (size_t)INT_MAX / 2)) {
        dbm__format(why->text, sizeof why->text, "has %z bytes; PostgreSQL takes 1 GB", size);
        return DBM_E_LIMIT;
    }
    if (DBM__UNLIKELY(!dbm__pg_copy_room(k, size + DBM__PG_COPY_CELL * ((size_t)k->plan->column_count + 1)))) return DBM_E_NOMEM;
    k->size = (size_t)(dbm__pg_to_bytes(k->rows + k->size, size != 0 ? data : "", size) - k->rows);
    return DBM_OK;
}
static dbm_status dbm__pg_put_text(dbm__pg_copy *k, const char *data, size_t size, dbm__why *why) {
    if (DBM__UNLIKELY(size != 0 && memchr(data, 0, size) != NULL)) {
        return dbm__pg_wrong(why, "is a text with a NUL byte, which PostgreSQL can't store; pass it as dbm_blob to a bytea");
    }
    return dbm__pg_put_bytes(k, data, size, why);
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

/* What a statement's parameter would be as text. */
static const char *dbm__pg_written(const dbm_value *v, char block[64], size_t *size) {
    if (v->type == DBM_TYPE_BOOL) {
        *size = 1;
        return v->as.integer != 0 ? "1" : "0";
    }
    if (v->type != DBM_TYPE_TIMESTAMP) return dbm__to_text(v, block, 64, size);
    *size = dbm__pg_put_timestamp(block, v->as.integer);
    return block;
}

static bool dbm__pg_is_text(const dbm_value *v, const char *word) { return v->type == DBM_TYPE_TEXT && dbm__same_word_n(v->as.text.data, v->as.text.size, word); }

/* numeric: base 10,000 from the point on, so that its digits are cut into fours there. */
static dbm_status dbm__pg_cell_numeric(dbm__pg_copy *k, const dbm_value *v, dbm__why *why) {
    char block[64];
    size_t size, i, digits = 0, scale = 0, zeros = 0, from, groups, point = SIZE_MAX;
    const char *text = dbm__pg_written(v, block, &size), *at = text;
    int64_t exponent = 0, before, weight, shown;
    bool minus = size != 0 && *at == '-', any = false;
    if (v->type == DBM_TYPE_BLOB || v->type == DBM_TYPE_TIMESTAMP || v->type == DBM_TYPE_UUID) return dbm__pg_wrong(why, "is not a number");
    if (size != 0 && (*at == '-' || *at == '+')) at++;
    i = (size_t)(at - text);
    if (dbm__same_word_n(at, size - i, "nan") || dbm__same_word_n(at, size - i, "inf") || dbm__same_word_n(at, size - i, "infinity")) {
        dbm__pg_put32(k, 8);
        dbm__pg_put32(k, 0);
        dbm__pg_put16(k, *at == 'n' || *at == 'N' ? 0xC000u : minus ? 0xF000u : 0xD000u);
        dbm__pg_put16(k, 0);
        return DBM_OK;
    }
    for (from = i; i < size; i++) {
        if (text[i] == '.' && point == SIZE_MAX) { point = i; continue; }
        if (text[i] < '0' || text[i] > '9') break;
        any = true;
        if (point != SIZE_MAX) scale++;
        if (digits == 0 && text[i] == '0') { zeros++; continue; }
        digits++;
    }
    if (any && i + 1 < size && (text[i] == 'e' || text[i] == 'E')) {
        bool down = text[i + 1] == '-';
        i += text[i + 1] == '-' || text[i + 1] == '+' ? 2 : 1;
        any = i < size;
        for (; i < size && text[i] >= '0' && text[i] <= '9'; i++) if (exponent < 1000000) exponent = exponent * 10 + (text[i] - '0');
        if (down) exponent = -exponent;
    }
    if (!any || i != size) return dbm__pg_wrong(why, "is not a number");
    /* The first digit that is not 0 stands `before` digits before the point. */
    before = (int64_t)(zeros + digits) - (int64_t)scale - (int64_t)zeros + exponent;
    shown = (int64_t)scale > exponent ? (int64_t)scale - exponent : 0;
    weight = digits == 0 ? 0 : before > 0 ? (before - 1) / 4 : -((4 - before) / 4);
    i = digits == 0 ? 0 : (size_t)((weight + 1) * 4 - before); /* zeros that fill the first group */
    groups = digits == 0 ? 0 : (i + digits + 3) / 4;
    if (size > 200000 || shown > 16383 || groups > 3000 || (digits != 0 && before > 131072)) return dbm__pg_wrong(why, "has more digits than COPY takes in a numeric");
    if (!dbm__pg_copy_room(k, 2 * groups + DBM__PG_COPY_CELL * ((size_t)k->plan->column_count + 1))) return DBM_E_NOMEM;
    dbm__pg_put32(k, (uint32_t)(8 + 2 * groups));
    dbm__pg_put16(k, (uint32_t)groups);
    dbm__pg_put16(k, (uint32_t)weight & 0xFFFFu);
    dbm__pg_put16(k, minus ? 0x4000u : 0u);
    dbm__pg_put16(k, (uint32_t)shown);
    at = text + from + zeros;
    if (point != SIZE_MAX && point < from + zeros + 1) at++; /* the zeros went past it */
    for (from = 0; from < groups; from++) {
        uint32_t group = 0;
        int n;
        for (n = 0; n < 4; n++) {
            group *= 10;
            if (i > 0) { i--; continue; }
            if (digits == 0) continue;
            if (*at == '.') at++;
            group += (uint32_t)(*at++ - '0');
            digits--;
        }
        dbm__pg_put16(k, group);
    }
    return DBM_OK;
}

/* A time as text. Its zone counts for timestamptz alone, as with the server. */
static bool dbm__pg_time_read(int how, const char *text, size_t size, int64_t *us) {
    char block[80] = "2000-01-01 ";
    size_t n;
    if (how == DBM__PG_AS_TIME && size > 4 && size < 60 && text[4] != '-') { /* of day */
        memcpy(block + 11, text, size);
        text = block;
        size += 11;
    }
    if (!dbm__timestamp_read(text, size, us)) return false;
    if (how == DBM__PG_AS_TIMESTAMPTZ) return true;
    for (n = 10; how != DBM__PG_AS_DATE && n < size && strchr("+-Zz", text[n]) == NULL; n++) { }
    while (n > 10 && text[n - 1] == ' ') n--;
    return dbm__timestamp_read(text, n, us);
}

static dbm_status dbm__pg_cell_time(dbm__pg_copy *k, int how, const dbm_value *v, dbm__why *why) {
    int64_t us = v->as.integer, part;
    bool minus = dbm__pg_is_text(v, "-infinity");
    if (minus || dbm__pg_is_text(v, "infinity")) {
        if (how == DBM__PG_AS_TIME) return dbm__pg_wrong(why, "is not a time of day");
        if (how == DBM__PG_AS_DATE) dbm__pg_put_number(k, 4, minus ? INT32_MIN : INT32_MAX);
        else dbm__pg_put_number(k, 8, minus ? INT64_MIN : INT64_MAX);
        return DBM_OK;
    }
    if (v->type != DBM_TYPE_TIMESTAMP && (v->type != DBM_TYPE_TEXT || !dbm__pg_time_read(how, v->as.text.data, v->as.text.size, &us))) {
        return dbm__pg_wrong(why, how == DBM__PG_AS_TIME ? "is not a time of day like 12:34:56.789" : how == DBM__PG_AS_DATE ? "is not a date like 2024-02-29" :
                             "is neither a dbm_timestamp nor a text like 2024-02-29 12:34:56.789");
    }
    if (us < -INT64_C(210866803200000000)) return dbm__pg_wrong(why, "is before 4713 BC, where PostgreSQL's times begin");
    us -= DBM__PG_EPOCH;
    part = us % DBM__PG_DAY_US;
    if (part < 0) part += DBM__PG_DAY_US;
    if (how == DBM__PG_AS_DATE) dbm__pg_put_number(k, 4, (us - part) / DBM__PG_DAY_US);
    else dbm__pg_put_number(k, 8, how == DBM__PG_AS_TIME ? part : us);
    return DBM_OK;
}

/* Digits, in fours or not, and braces, as the server reads them. */
static dbm_status dbm__pg_cell_uuid(dbm__pg_copy *k, const dbm_value *v, dbm__why *why) {
    const char *text = v->as.text.data;
    size_t size = v->as.text.size, i = 0;
    unsigned char bytes[16];
    int n = 0;
    if (v->type == DBM_TYPE_BLOB && size == 16) return dbm__pg_put_bytes(k, text, size, why);
    if (v->type != DBM_TYPE_UUID && v->type != DBM_TYPE_TEXT) return dbm__pg_wrong(why, "is not a UUID");
    if (size > 2 && text[0] == '{' && text[size - 1] == '}') {
        i = 1;
        size--;
    }
    for (; i < size && n < 32; i++) {
        int digit = dbm__hex(text[i]);
        if (text[i] == '-' && n > 0 && n % 4 == 0 && text[i - 1] != '-') continue;
        if (digit < 0) break;
        bytes[n / 2] = (unsigned char)(n % 2 == 0 ? digit << 4 : bytes[n / 2] | digit);
        n++;
    }
    return n != 32 || i != size ? dbm__pg_wrong(why, "is not a UUID") : dbm__pg_put_bytes(k, (const char *)bytes, 16, why);
}

/* Bytes as they are, or a text in one of the forms that bytea shows them in. */
static dbm_status dbm__pg_cell_bytea(dbm__pg_copy *k, const dbm_value *v, dbm__why *why) {
    char block[64];
    size_t size, i = 0, from = k->size;
    const char *text = dbm__pg_written(v, block, &size);
    dbm_status st = dbm__pg_put_bytes(k, text, size, why);
    if (st != DBM_OK || v->type == DBM_TYPE_BLOB || size == 0 || memchr(text, '\\', size) == NULL) return st;
    if (size % 2 == 0 && text[0] == '\\' && text[1] == 'x') for (i = 2; i < size && dbm__hex(text[i]) >= 0; i++) { }
    if (i != size) return dbm__pg_wrong(why, "is a text with a backslash that is not \\x and pairs of hexadecimal digits; pass bytes as dbm_blob");
    k->size = from;
    i = dbm__pg_bytes(text, size, k->rows + from + 4); /* shorter than the text by far */
    dbm__pg_put32(k, (uint32_t)i);
    k->size += i;
    return DBM_OK;
}

static dbm_status dbm__pg_cell_real(dbm__pg_copy *k, int how, const dbm_value *v, dbm__why *why) {
    double x;
    float single;
    int32_t bits;
    dbm_status st = dbm__to_double(v, &x, why);
    if (st != DBM_OK) return st;
    if (how == DBM__PG_AS_FLOAT8) {
        k->size = (size_t)(dbm__pg_to_double(k->rows + k->size, x) - k->rows);
        return DBM_OK;
    }
    /* Half a step above the largest float, what rounds to it still fits. */
    if ((x >= 3.4028235677973366e38 || x <= -3.4028235677973366e38) && x - x == 0) return dbm__pg_wrong(why, "is out of range for real");
    single = (float)x;
    if (single == 0 && x != 0) return dbm__pg_wrong(why, "is out of range for real");
    memcpy(&bits, &single, sizeof bits);
    dbm__pg_put_number(k, 4, bits);
    return DBM_OK;
}

/* One cell in binary. There is room for all of the row that has a fixed size. */
static dbm_status dbm__pg_put_value(dbm__pg_copy *k, int how, const dbm_value *v, dbm__why *why) {
    char block[64];
    const char *text;
    size_t size;
    int64_t x;
    bool yes;
    dbm_status st;
    switch (how) {
    case DBM__PG_AS_INT2: case DBM__PG_AS_INT4: case DBM__PG_AS_INT8: case DBM__PG_AS_OID:
        st = dbm__to_int(v, dbm__pg_limits[how].min, dbm__pg_limits[how].max, &x, why);
        if (st == DBM_OK) dbm__pg_put_number(k, dbm__pg_limits[how].size, x);
        return st;
    case DBM__PG_AS_TEXT:
        text = dbm__pg_written(v, block, &size);
        return dbm__pg_put_text(k, text, size, why);
    case DBM__PG_AS_FLOAT4: case DBM__PG_AS_FLOAT8: return dbm__pg_cell_real(k, how, v, why);
    case DBM__PG_AS_DATE: case DBM__PG_AS_TIME: case DBM__PG_AS_TIMESTAMP: case DBM__PG_AS_TIMESTAMPTZ: return dbm__pg_cell_time(k, how, v, why);
    case DBM__PG_AS_BOOL:
        st = dbm__to_bool(v, &yes, why);
        if (st != DBM_OK) return st;
        dbm__pg_put32(k, 1);
        k->rows[k->size++] = yes ? 1 : 0;
        return DBM_OK;
    case DBM__PG_AS_JSONB: { /* a version comes first */
        size_t from = k->size;
        text = dbm__pg_written(v, block, &size);
        st = dbm__pg_put_text(k, text, size, why);
        if (st != DBM_OK) return st;
        memmove(k->rows + from + 5, k->rows + from + 4, size);
        k->size = from;
        dbm__pg_put32(k, (uint32_t)size + 1);
        k->rows[k->size] = 1;
        k->size += size + 1;
        return DBM_OK;
    }
    case DBM__PG_AS_NUMERIC: return dbm__pg_cell_numeric(k, v, why);
    case DBM__PG_AS_UUID: return dbm__pg_cell_uuid(k, v, why);
    default: return dbm__pg_cell_bytea(k, v, why);
    }
}

/* One cell as text, and the tab or the end of the line behind it. */
static dbm_status dbm__pg_put_escaped(dbm__pg_copy *k, int i, const dbm_value *v, dbm__why *why) {
    static const char digits[] = "0123456789abcdef";
    char block[64], *at;
    size_t size = 0, n;
    const char *text = dbm__pg_written(v, block, &size);
    bool hex = v->type == DBM_TYPE_BLOB && k->how[i] == DBM__PG_AS_BYTEA;
    if (size >= (size_t)INT_MAX / 2) {
        dbm__format(why->text, sizeof why->text, "has %z bytes; PostgreSQL takes 1 GB", size);
        return DBM_E_LIMIT;
    }
    if (!hex && size != 0 && memchr(text, 0, size) != NULL) return dbm__pg_wrong(why, "has a NUL byte, which PostgreSQL can't store in a text; pass it as dbm_blob to a bytea");
    if (!dbm__pg_copy_room(k, 2 * size + 4)) return DBM_E_NOMEM;
    at = k->rows + k->size;
    if (v->type == DBM_TYPE_NULL) {
        *at++ = '\\';
        *at++ = 'N';
    } else if (hex) {
        memcpy(at, "\\\\x", 3);
        at += 3;
    }
    for (n = 0; n < size; n++) {
        char c = text[n];
        if (hex) {
            *at++ = digits[(unsigned char)c >> 4];
            c = digits[(unsigned char)c & 15];
        } else if (c == '\\' || c == '\t' || c == '\n' || c == '\r') {
            *at++ = '\\';
            c = c == '\t' ? 't' : c == '\n' ? 'n' : c == '\r' ? 'r' : c;
        }
        *at++ = c;
    }
    *at++ = i + 1 < k->plan->column_count ? '\t' : '\n';
    k->size = (size_t)(at - k->rows);
    return DBM_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------------------- */

static DBM__NOINLINE dbm_status dbm__pg_row_bad(dbm_connection *c, dbm__pg_copy *k, size_t from, int i, dbm_status st, const dbm__why *why) {
    k->size = from;
    if (i >= 0) k->plan->failed_column = i;
    return dbm_adapter_fail(c, st, st == DBM_E_RANGE ? "22000" : NULL, 0, st == DBM_E_NOMEM ? dbm_status_text(st) : why->text);
}

DBM__INLINE bool dbm__pg_row_room(dbm__pg_copy *k) { return dbm__pg_copy_room(k, 2 + DBM__PG_COPY_CELL * ((size_t)k->plan->column_count + 1)); }
DBM__INLINE bool dbm__pg_full(const dbm__pg_copy *k) { return k->size >= DBM__PG_COPY_ROOM - DBM__PG_COPY_ROOM / 8; }

/* Whether a text fits as it is, and all cells of a fixed size behind it. */
DBM__INLINE bool dbm__pg_fits(const dbm__pg_copy *k, const char *to, size_t size) {
    size_t left = k->capacity - (size_t)(to - k->rows), rest = DBM__PG_COPY_CELL * ((size_t)k->plan->column_count + 1);
    return left > rest && size <= left - rest;
}

/* A cell of any kind. */
static DBM__NOINLINE dbm_status dbm__pg_any_cell(dbm__pg_copy *k, int i, const dbm_value *v, char **to, dbm__why *why) {
    dbm_status st = DBM_OK;
    k->size = (size_t)(*to - k->rows);
    if (!k->binary) st = dbm__pg_put_escaped(k, i, v, why);
    else if (v->type != DBM_TYPE_NULL) st = dbm__pg_put_value(k, k->how[i], v, why);
    else dbm__pg_put32(k, UINT32_MAX);
    *to = k->rows + k->size;
    return st;
}

/* The usual ones are written here. In rows of texts no column is as these are. */
DBM__FN dbm_status dbm__pg_bulk_row(dbm_connection *c, dbm_op *op, const dbm_value *values) {
    dbm__pg_copy *k = (dbm__pg_copy *)op->bulk->data;
    dbm__why why;
    size_t from = k->size;
    char *to;
    int i, n = k->plan->column_count;
    if (DBM__UNLIKELY(!dbm__pg_row_room(k))) return dbm__pg_row_bad(c, k, from, -1, DBM_E_NOMEM, NULL);
    to = k->rows + from;
    if (DBM__LIKELY(k->binary)) to = dbm__pg_to16(to, (uint32_t)n);
    for (i = 0; i < n; i++) {
        const dbm_value *v = &values[i];
        int how = k->how[i];
        dbm_status st;
        if (v->type == DBM_TYPE_INT && how <= DBM__PG_AS_OID && v->as.integer >= dbm__pg_limits[how].min && v->as.integer <= dbm__pg_limits[how].max) {
            to = dbm__pg_to_number(to, dbm__pg_limits[how].size, v->as.integer);
        } else if (v->type == DBM_TYPE_TEXT && how == DBM__PG_AS_TEXT && dbm__pg_fits(k, to, v->as.text.size) &&
                   memchr(v->as.text.data, 0, v->as.text.size) == NULL) {
            to = dbm__pg_to_bytes(to, v->as.text.data, v->as.text.size);
        } else if (v->type == DBM_TYPE_DOUBLE && how == DBM__PG_AS_FLOAT8) {
            to = dbm__pg_to_double(to, v->as.real);
        } else {
            st = dbm__pg_any_cell(k, i, v, &to, &why);
            if (DBM__UNLIKELY(st != DBM_OK)) return dbm__pg_row_bad(c, k, from, i, st, &why);
        }
    }
    k->size = (size_t)(to - k->rows);
    return DBM__UNLIKELY(dbm__pg_full(k)) ? DBM_DONE : DBM_OK;
}

/* Arrays whose elements need not become values first: integers of a size, doubles, texts. */
enum { DBM__PG_FAST_NONE = 0, DBM__PG_FAST_INT32, DBM__PG_FAST_INT64, DBM__PG_FAST_DOUBLE, DBM__PG_FAST_TEXT };

static unsigned char dbm__pg_copy_fast(int how, const dbm_column *a) {
    if (a->type != DBM_TYPE_NULL && a->type != DBM_TYPE_TEXT) return DBM__PG_FAST_NONE;
    if (a->kind == DBM__TO_INT && a->size == 4 && how <= DBM__PG_AS_OID) return DBM__PG_FAST_INT32;
    if (a->kind == DBM__TO_INT && a->size == 8 && how <= DBM__PG_AS_OID) return DBM__PG_FAST_INT64;
    if (a->kind == DBM__TO_REAL && a->size == sizeof(double) && how == DBM__PG_AS_FLOAT8) return DBM__PG_FAST_DOUBLE;
    if (a->kind == DBM__TO_TEXT && how == DBM__PG_AS_TEXT) return DBM__PG_FAST_TEXT;
    return DBM__PG_FAST_NONE;
}

static DBM__NOINLINE dbm_status dbm__pg_element(dbm__pg_copy *k, int i, const dbm_column *a, size_t row, char **to, dbm__why *why) {
    dbm_value v;
    dbm_status st = dbm_adapter_element(a, row, &v);
    if (st == DBM_OK) return dbm__pg_any_cell(k, i, &v, to, why);
    dbm__copy_cut(why->text, sizeof why->text, dbm__element_wrong(a->kind));
    return st;
}

DBM__FN dbm_status dbm__pg_bulk_columns(dbm_connection *c, dbm_op *op, const dbm_column *columns, size_t first, size_t count, size_t *taken) {
    dbm__pg_copy *k = (dbm__pg_copy *)op->bulk->data;
    dbm__why why;
    size_t row;
    int i, n = k->plan->column_count;
    for (i = 0; i < n; i++) k->fast[i] = dbm__pg_copy_fast(k->how[i], &columns[i]);
    for (row = first; row < first + count; row++) {
        size_t from = k->size;
        char *to;
        *taken = row - first;
        if (DBM__UNLIKELY(!dbm__pg_row_room(k))) return dbm__pg_row_bad(c, k, from, -1, DBM_E_NOMEM, NULL);
        to = k->rows + from;
        if (DBM__LIKELY(k->binary)) to = dbm__pg_to16(to, (uint32_t)n);
        for (i = 0; i < n; i++) {
            const dbm_column *a = &columns[i];
            const char *at = (const char *)a->data + row * (a->stride != 0 ? a->stride : a->size), *text;
            int how = k->how[i], fast = k->fast[i];
            dbm_status st;
            if (a->nulls != NULL && (a->nulls[row / 8] >> row % 8 & 1) != 0) {
                if (fast != DBM__PG_FAST_NONE) {
                    to = dbm__pg_to32(to, UINT32_MAX);
                    continue;
                }
            } else if (fast == DBM__PG_FAST_INT32 || fast == DBM__PG_FAST_INT64) {
                int64_t x;
                int32_t half;
                if (fast == DBM__PG_FAST_INT64) memcpy(&x, at, sizeof x);
                else { memcpy(&half, at, sizeof half); x = half; }
                if (DBM__LIKELY(x >= dbm__pg_limits[how].min && x <= dbm__pg_limits[how].max)) {
                    to = dbm__pg_to_number(to, dbm__pg_limits[how].size, x);
                    continue;
                }
            } else if (fast == DBM__PG_FAST_DOUBLE) {
                double x;
                memcpy(&x, at, sizeof x);
                to = dbm__pg_to_double(to, x);
                continue;
            } else if (fast == DBM__PG_FAST_TEXT) {
                size_t size;
                memcpy(&text, at, sizeof text);
                size = text != NULL ? strlen(text) : 0;
                if (text != NULL && dbm__pg_fits(k, to, size)) {
                    to = dbm__pg_to_bytes(to, text, size);
                    continue;
                }
            }
            st = dbm__pg_element(k, i, a, row, &to, &why); /* it has the words, too */
            if (DBM__UNLIKELY(st != DBM_OK)) return dbm__pg_row_bad(c, k, from, i, st, &why);
        }
        k->size = (size_t)(to - k->rows);
        if (DBM__UNLIKELY(dbm__pg_full(k))) {
            *taken = row - first + 1;
            return DBM_DONE;
        }
    }
    *taken = count;
    return DBM_OK;
}

/* ---- to and from the server ------------------------------------------------------------------------------------------ */

DBM__FN bool dbm__pg_copy_described(dbm__pg_copy *k, PGconn *conn, PGresult *res) {
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and no flags, and nothing more of a header */
    const char *zone = PQparameterStatus(conn, "TimeZone");
    bool utc = zone != NULL && (strcmp(zone, "UTC") == 0 || strcmp(zone, "Etc/UTC") == 0);
    int i;
    k->columns = res;
    k->binary = PQnfields(res) == k->plan->column_count;
    for (i = 0; i < k->plan->column_count; i++) {
        k->how[i] = dbm__pg_copy_how(PQftype(res, i), utc);
        if (k->how[i] == DBM__PG_AS_OTHER) k->binary = false;
    }
    if (!dbm__pg_copy_room(k, DBM__PG_COPY_ROOM)) return false;
    if (!k->binary) { /* of a bytea alone the text is another one */
        for (i = 0; i < k->plan->column_count; i++) if (k->how[i] != DBM__PG_AS_BYTEA) k->how[i] = DBM__PG_AS_OTHER;
        return true;
    }
    memcpy(k->command + strlen(k->command), " (FORMAT binary)", 17);
    memcpy(k->rows, header, sizeof header);
    k->size = sizeof header;
    return true;
}

DBM__FN int dbm__pg_copy_put(dbm__pg_copy *k, PGconn *conn) {
    size_t piece = k->size - k->sent < DBM__PG_COPY_ROOM ? k->size - k->sent : DBM__PG_COPY_ROOM;
    int put;
    if (piece == 0) return 0;
    put = PQputCopyData(conn, k->rows + k->sent, (int)piece);
    if (put != 1) return put - 2;
    k->sent += piece;
    if (k->sent < k->size) return 1;
    k->size = k->sent = 0;
    if (k->capacity > 4 * DBM__PG_COPY_ROOM) { /* of a large row */
        dbm_adapter_free(k->db, k->rows);
        k->rows = NULL;
        k->capacity = 0;
    }
    return 1;
}

DBM__FN bool dbm__pg_copy_last(dbm__pg_copy *k) {
    if (!dbm__pg_copy_room(k, 2)) return false;
    if (k->binary) dbm__pg_put16(k, 0xFFFFu);
    return true;
}

/* "COPY table, line 3, column name: ..." is a line of it; its words are in the server's language. */
DBM__FN void dbm__pg_copy_blame(dbm__pg_copy *k, const char *context) {
    size_t n = 0;
    bool quoted = false;
    const char *at = k->plan->table, *end;
    char name[80];
    for (; *at != '\0'; at++) { /* how long the table's own name is */
        if (*at == '"') {
            if (quoted && at[1] == '"') at++;
            else { quoted = !quoted; continue; }
        } else if (*at == '.' && !quoted) {
            n = 0;
            continue;
        }
        n++;
    }
    for (; context != NULL && strncmp(context, "COPY ", 5) != 0; context++) {
        context = strchr(context, '\n');
        if (context == NULL) break;
    }
    if (context == NULL || strlen(context) < n + 5) return;
    for (at = context + 5 + n; *at != '\0' && *at != '\n' && (*at < '0' || *at > '9'); at++) { }
    if (*at < '0' || *at > '9') return;
    for (k->plan->failed_row = 0; *at >= '0' && *at <= '9'; at++) k->plan->failed_row = k->plan->failed_row * 10 + (*at - '0');
    k->plan->failed_row--;
    if (*at != ',') return;
    for (at += 2; *at != '\0' && *at != ' '; at++) { } /* "column" */
    if (*at == ' ') at++;
    end = strpbrk(at, ":\n");
    n = end != NULL ? (size_t)(end - at) : strlen(at);
    if (n >= sizeof name) return;
    memcpy(name, at, n);
    name[n] = '\0';
    for (n = 0; (int)n < k->plan->column_count; n++) if (strcmp(PQfname(k->columns, (int)n), name) == 0) k->plan->failed_column = (int)n;
}

#endif /* DBM_HAS_POSTGRESQL */
