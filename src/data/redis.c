/* Redis' commands as calls: which words are sent, what their reply must be, and which commands only read.
 * May call: api/, base/, session/ (dbm__command), sql/'s conversions and readers of values.
 * Must not know: connections, hiredis, how a reply looks on the wire. */
#include "data.h"

#if !DBM_HAS_REDIS
static dbm_status dbm__redis_absent(dbm_session *on, const char *site) {
    if (dbm__on_database(on) == NULL) return dbm__session_bad(on, site);
    return dbm__on_fail(on, DBM_E_NOT_COMPILED, site, "Redis is not compiled in: define DBM_WITH_REDIS in the file with DBM_IMPLEMENTATION, and link with -lhiredis");
}
DBM__DEF dbm_status dbm__redis_callv(dbm_session *on, const char *site, int want, void *out, const char *name, const dbm_value *values, int count) {
    (void)want; (void)out; (void)name; (void)values; (void)count;
    return dbm__redis_absent(on, site);
}
DBM__DEF dbm_status dbm__redis_call(dbm_session *on, const char *site, int want, void *out, const char *name, const char *codes, ...) {
    (void)want; (void)out; (void)name; (void)codes;
    return dbm__redis_absent(on, site);
}
DBM__FN dbm_status dbm__redis_commanded(dbm_session *on, const char *site, dbm__redis_use *use, const char *format, const char *codes, va_list *ap) {
    (void)use; (void)format; (void)codes; (void)ap;
    return dbm__redis_absent(on, site);
}
DBM__DEF dbm__cursor dbm__redis_eachv(dbm_session *on, const char *site, const char *format, const dbm_value *values, int count) {
    (void)format; (void)values; (void)count;
    (void)dbm__redis_absent(on, site);
    return dbm__cursor_of(NULL);
}
DBM__DEF dbm__cursor dbm__redis_each(dbm_session *on, const char *site, const char *format, const char *codes, ...) {
    (void)format; (void)codes;
    (void)dbm__redis_absent(on, site);
    return dbm__cursor_of(NULL);
}
#else

/* ---- which commands only read ------------------------------------------------------------------------------------------ */

/* Sorted. What is not here may write. Blocking ones that take something away (BLPOP) write; transactions' own words do not: what is queued between them
 * is judged by itself. */
static const char *const dbm__redis_readers[] = {
    "BITCOUNT", "BITFIELD_RO", "BITPOS", "COMMAND", "DBSIZE", "DISCARD", "DUMP", "ECHO", "EVALSHA_RO", "EVAL_RO", "EXEC", "EXISTS", "EXPIRETIME",
    "FCALL_RO", "GEODIST", "GEOHASH", "GEOPOS", "GEORADIUSBYMEMBER_RO", "GEORADIUS_RO", "GEOSEARCH", "GET", "GETBIT", "GETRANGE", "HEXISTS",
    "HEXPIRETIME", "HGET", "HGETALL", "HKEYS", "HLEN", "HMGET", "HPEXPIRETIME", "HPTTL", "HRANDFIELD", "HSCAN", "HSTRLEN", "HTTL", "HVALS", "INFO",
    "KEYS", "LASTSAVE", "LCS", "LINDEX", "LLEN", "LOLWUT", "LPOS", "LRANGE", "MGET", "MULTI", "OBJECT", "PEXPIRETIME", "PFCOUNT", "PING", "PTTL",
    "RANDOMKEY", "ROLE", "SCAN", "SCARD", "SDIFF", "SELECT", "SINTER", "SINTERCARD", "SISMEMBER", "SMEMBERS", "SMISMEMBER", "SORT_RO", "SRANDMEMBER",
    "SSCAN", "STRLEN", "SUBSTR", "SUNION", "TIME", "TOUCH", "TTL", "TYPE", "UNWATCH", "WAIT", "WATCH", "XINFO", "XLEN", "XPENDING", "XRANGE", "XREAD",
    "XREVRANGE", "ZCARD", "ZCOUNT", "ZDIFF", "ZINTER", "ZINTERCARD", "ZLEXCOUNT", "ZMSCORE", "ZRANDMEMBER", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE",
    "ZRANK", "ZREVRANGE", "ZREVRANGEBYLEX", "ZREVRANGEBYSCORE", "ZREVRANK", "ZSCAN", "ZSCORE", "ZUNION"
};

static bool dbm__redis_only_reads(const char *name, size_t size) {
    size_t low = 0, high = sizeof dbm__redis_readers / sizeof dbm__redis_readers[0], i;
    char upper[24];
    if (size >= sizeof upper) return false;
    for (i = 0; i < size; i++) upper[i] = name[i] >= 'a' && name[i] <= 'z' ? (char)(name[i] - 'a' + 'A') : name[i];
    upper[size] = 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *word = dbm__redis_readers[middle];
        for (i = 0; upper[i] == word[i] && word[i] != 0; i++) {}
        if (upper[i] == word[i]) return true;
        if (upper[i] > word[i]) low = middle + 1; else high = middle;
    }
    return false;
}

/* ---- formats --------------------------------------------------------------------------------------------------------------- */

/* A command made of a format and its values. Few words and short mixed ones (user:%s) need no memory. */
#define DBM__REDIS_WORDS 48
typedef struct dbm__redis_command {
    dbm_session *on;
    const char *site;
    dbm_value few[DBM__REDIS_WORDS], *words;
    int count, room;
    char block[512], *mixed;             /* the texts of mixed words, by offset until all are there */
    size_t mixed_size, mixed_room;
    dbm_status status;
} dbm__redis_command;

static bool dbm__redis_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void dbm__redis_command_free(dbm__redis_command *c) {
    dbm__host *host = dbm__on_host(c->on);
    if (c->words != c->few) dbm__free(host, c->words);
    if (c->mixed != c->block) dbm__free(host, c->mixed);
}

static bool dbm__redis_word(dbm__redis_command *c, dbm_value v) {
    if (c->count == c->room) {
        size_t want = (size_t)c->room * 2;
        dbm_value *more = (dbm_value *)dbm__resize(dbm__on_host(c->on), c->words != c->few ? c->words : NULL, want * sizeof *more);
        if (more == NULL) {
            c->status = dbm__on_fail(c->on, DBM_E_NOMEM, c->site, "out of memory");
            return false;
        }
        if (c->words == c->few) memcpy(more, c->few, sizeof c->few);
        c->words = more;
        c->room = (int)want;
    }
    c->words[c->count++] = v;
    return true;
}

static bool dbm__redis_mix(dbm__redis_command *c, const char *text, size_t size) {
    if (size > SIZE_MAX / 4 - c->mixed_size) size = SIZE_MAX / 4;
    if (c->mixed_size + size > c->mixed_room) {
        size_t want = (c->mixed_size + size) * 2;
        char *more = (char *)dbm__resize(dbm__on_host(c->on), c->mixed != c->block ? c->mixed : NULL, want);
        if (more == NULL) {
            c->status = dbm__on_fail(c->on, DBM_E_NOMEM, c->site, "out of memory");
            return false;
        }
        if (c->mixed == c->block) memcpy(more, c->block, c->mixed_size);
        c->mixed = more;
        c->mixed_room = want;
    }
    if (size != 0) memcpy(c->mixed + c->mixed_size, text, size);
    c->mixed_size += size;
    return true;
}

static const char *dbm__redis_type_name(dbm_type type) {
    switch (type) {
    case DBM_TYPE_NULL: return "NULL";
    case DBM_TYPE_INT: case DBM_TYPE_UINT: return "an integer";
    case DBM_TYPE_DOUBLE: return "a double";
    case DBM_TYPE_BOOL: return "a bool";
    case DBM_TYPE_BLOB: return "a blob";
    case DBM_TYPE_TEXT: case DBM_TYPE_DECIMAL: case DBM_TYPE_UUID: case DBM_TYPE_JSON: return "a text";
    case DBM_TYPE_TIMESTAMP: return "a timestamp";
    case DBM_TYPE_INVALID: case DBM__TYPE_SIGNED: break;
    }
    return "a pointer that is no text";
}

static bool dbm__redis_is_bytes(dbm_type type) {
    return type == DBM_TYPE_TEXT || type == DBM_TYPE_BLOB || type == DBM_TYPE_DECIMAL || type == DBM_TYPE_UUID || type == DBM_TYPE_JSON;
}

/* The value for one % of the format. `i` stands on it, and then behind what was used. */
static bool dbm__redis_take(dbm__redis_command *c, char what, const dbm_value *values, int count, int *i, dbm_value *out) {
    const dbm_value *v = &values[*i];
    const char *expected = what == 's' ? "a text" : what == 'b' ? "dbm_blob(data, size), or a char pointer and its size" : what == 'f' ? "a double" : "an integer";
    if (*i >= count) {
        c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "the format has more placeholders than the call has values (%d)", count);
        return false;
    }
    *out = *v;
    out->name = NULL;
    if (what == 's' && dbm__redis_is_bytes(v->type)) {
        if (out->as.text.size == SIZE_MAX) out->as.text.size = strlen(out->as.text.data);
        *i += 1;
        return true;
    }
    if (what == 'b' && dbm__redis_is_bytes(v->type)) {
        *i += 1;
        if (v->as.text.size != SIZE_MAX) return true; /* it knows its size */
        if (*i < count && values[*i].name == NULL && (values[*i].type == DBM_TYPE_UINT || (values[*i].type == DBM_TYPE_INT && values[*i].as.integer >= 0))) {
            uint64_t size = values[*i].type == DBM_TYPE_UINT ? values[*i].as.uinteger : (uint64_t)values[*i].as.integer;
            if (size <= SIZE_MAX / 4) {
                out->as.text.size = (size_t)size;
                *i += 1;
                return true;
            }
        }
        c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "value %d is for %%b and has no size behind it; pass %s", *i, expected);
        return false;
    }
    if (((what == 'd' || what == 'l') && (v->type == DBM_TYPE_INT || v->type == DBM_TYPE_UINT || v->type == DBM_TYPE_BOOL))
        || (what == 'f' && v->type == DBM_TYPE_DOUBLE)) {
        *i += 1;
        return true;
    }
    c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "value %d is for %%%c, which takes %s; it is %s", *i + 1, what, expected, dbm__redis_type_name(v->type));
    return false;
}

static void dbm__redis_format(dbm__redis_command *c, const char *format, const dbm_value *values, int count) {
    const char *p = format;
    int used = 0, i;
    if (format == NULL) {
        c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "the format is NULL");
        return;
    }
    for (;;) {
        const char *word, *end;
        bool mixed = false;
        size_t at = c->mixed_size;
        dbm_value v;
        while (dbm__redis_blank(*p)) p++;
        if (*p == 0) break;
        if (*p == '"' || *p == '\'') {
            c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "a word of the format begins with a quote, which has no meaning here: pass the text as a value, for %%s");
            return;
        }
        for (word = end = p; *end != 0 && !dbm__redis_blank(*end); end++) if (*end == '%') mixed = true;
        if (!mixed) {
            if (!dbm__redis_word(c, dbm_textn(word, (size_t)(end - word)))) return;
            p = end;
            continue;
        }
        if (end - word == 2 && word[1] != '%') { /* a value alone is passed as it is */
            char what = word[1];
            if (strchr("sbdlf", what) != NULL) {
                if (!dbm__redis_take(c, what, values, count, &used, &v) || !dbm__redis_word(c, v)) return;
                p = end;
                continue;
            }
        }
        for (; p < end; p++) {
            char block[64];
            const char *text;
            size_t size;
            if (*p != '%') {
                if (!dbm__redis_mix(c, p, 1)) return;
                continue;
            }
            p++;
            if (p < end && *p == '%') {
                if (!dbm__redis_mix(c, p, 1)) return;
                continue;
            }
            if (p == end || strchr("sbdlf", *p) == NULL) {
                c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "the format has a %% before %q; there are %%s %%b %%d %%l %%f, and %%%% for a percent sign", p == end ? "its end" : (block[0] = *p, block[1] = 0, block));
                return;
            }
            if (!dbm__redis_take(c, *p, values, count, &used, &v)) return;
            text = v.as.text.data;
            size = v.as.text.size;
            if (!dbm__redis_is_bytes(v.type)) text = dbm__to_text(&v, block, sizeof block, &size);
            if (!dbm__redis_mix(c, text, size)) return;
        }
        v = dbm_textn("", c->mixed_size - at);
        v.name = ""; /* its text is in `mixed`, which may still move */
        if (!dbm__redis_word(c, v)) return;
    }
    if (used != count) {
        c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "the format takes %d value%s and the call passes %d", used, used == 1 ? "" : "s", count);
        return;
    }
    if (c->count == 0) {
        c->status = dbm__on_fail(c->on, DBM_E_MISUSE, c->site, "the command is empty");
        return;
    }
    {
        const char *text = c->mixed;
        for (i = 0; i < c->count; i++) {
            if (c->words[i].name == NULL) continue;
            c->words[i].name = NULL;
            c->words[i].as.text.data = text;
            text += c->words[i].as.text.size;
        }
    }
}

/* ---- one call ---------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__redis_unexpected(dbm_session *on, const char *site, dbm_row *row, const char *name) {
    dbm_row_end(row);
    return dbm__on_fail(on, DBM_E_SQL, site, "the reply to %s is not what that command answers", name);
}

static dbm_status dbm__redis_copied(dbm_session *on, const char *site, dbm_row *row, const dbm__redis_buffer *b) {
    dbm_value v = dbm_row_value(row, 0);
    size_t size = v.as.text.size;
    if (b->size != NULL) *b->size = size;
    if (b->data == NULL || size >= b->capacity) {
        dbm_row_end(row);
        return dbm__on_fail(on, DBM_E_RANGE, site, "the value has %z bytes and the buffer %z; one more is needed for the NUL", size, b->capacity);
    }
    memcpy(b->data, v.as.text.data, size);
    b->data[size] = 0;
    dbm_row_end(row);
    return DBM_OK;
}

/* The first row of the reply, as the call wants it. row is NULL where the command was only queued, or the reply is empty. */
static dbm_status dbm__redis_result(dbm_session *on, const char *site, int want, void *out, const char *name, dbm_row *row) {
    int what = want & 15;
    dbm_value v;
    if (row == NULL) {
        if (what == DBM__REDIS_WANT_ROW) return dbm__on_fail(on, DBM_E_NOT_FOUND, site, "the reply is empty");
        if (what == DBM__REDIS_WANT_VALUE || what == DBM__REDIS_WANT_COPY) {
            return dbm__on_fail(on, DBM_E_MISUSE, site, "%s is in the queue of a transaction and has no value yet: its rows come with dbm_redis_exec", name);
        }
        return DBM_OK;
    }
    v = dbm_row_value(row, 0);
    if (what == DBM__REDIS_WANT_ROW) {
        *(dbm_row **)out = row;
        return DBM_OK;
    }
    if ((what == DBM__REDIS_WANT_VALUE || what == DBM__REDIS_WANT_COPY) && v.type == DBM_TYPE_NULL) {
        dbm_row_end(row);
        return dbm__on_fail(on, DBM_E_NOT_FOUND, site, what == DBM__REDIS_WANT_VALUE && name[0] == 'H' ? "there is no such key or field" : "there is no such key");
    }
    if (what == DBM__REDIS_WANT_VALUE) {
        *(dbm_row **)out = row;
        return DBM_OK;
    }
    if (what == DBM__REDIS_WANT_COPY) {
        if (v.type != DBM_TYPE_TEXT && v.type != DBM_TYPE_BLOB) return dbm__redis_unexpected(on, site, row, name);
        return dbm__redis_copied(on, site, row, (const dbm__redis_buffer *)out);
    }
    if (what == DBM__REDIS_WANT_NOTHING) {
        dbm_row_end(row);
        return DBM_OK;
    }
    if (v.type != DBM_TYPE_INT) return dbm__redis_unexpected(on, site, row, name);
    dbm_row_end(row);
    if ((what == DBM__REDIS_WANT_FOUND && v.as.integer == 0) || (what == DBM__REDIS_WANT_TTL && v.as.integer == -2)) {
        return dbm__on_fail(on, DBM_E_NOT_FOUND, site, "there is no such key");
    }
    if (out != NULL) *(int64_t *)out = v.as.integer;
    return DBM_OK;
}

/* The session behind a call, one of Redis that is ready for the next command; or NULL. */
DBM__INLINE dbm__work *dbm__redis_work(dbm_session *on) {
    dbm__work *w = on != NULL && on->step != DBM__ON_DATABASE ? dbm__work_of(on) : NULL;
    const char *type;
    if (w == NULL || dbm__load(&w->trouble) != 0) return NULL;
    if (w->command != 0) return w; /* that was seen before */
    type = w->db->adapter->type;
    return type[0] == 'r' && type[1] == 'e' && type[2] == 'd' && type[3] == 'i' && type[4] == 's' && type[5] == 0 ? w : NULL;
}

/* Whether a command writes, by its name; a session remembers the last short one. */
static bool dbm__redis_writes(dbm__work *w, const dbm_value *name) {
    uint64_t packed = 0;
    size_t i;
    bool writes;
    if (name->type != DBM_TYPE_TEXT && name->type != DBM_TYPE_BLOB) return true;
    if (w != NULL && name->as.text.size <= 8) {
        for (i = 0; i < name->as.text.size; i++) packed = packed << 8 | (unsigned char)name->as.text.data[i];
        if (packed != 0 && packed == w->command) return w->command_writes;
    }
    writes = !dbm__redis_only_reads(name->as.text.data, name->as.text.size);
    if (packed != 0) {
        w->command = packed;
        w->command_writes = writes;
    }
    return writes;
}

/* Words that are complete, with their sizes. */
static dbm_status dbm__redis_run(dbm_session *on, const char *site, int want, void *out, const char *name, const dbm_value *words, int count) {
    dbm__work *w = dbm__redis_work(on);
    dbm_row *row = NULL;
    bool writes = !(want & DBM__REDIS_READS);
    dbm_status st;
    if (name == NULL) { /* the words say it */
        name = "the command";
        writes = dbm__redis_writes(w, words);
    }
    if ((want & 15) == DBM__REDIS_WANT_LATER) {
        return w != NULL && dbm__command_sent(w, site, words, count, writes, &st) ? st : dbm__command_send(on, site, words, count, writes);
    }
    if ((want & 15) > DBM__REDIS_WANT_LATER) {
        const dbm__redis_use *use = (const dbm__redis_use *)out;
        return use->use(use->ud, words, count, writes);
    }
    if ((want & 15) == DBM__REDIS_WANT_ROWS && out != NULL) return dbm__command(on, site, words, count, writes, (dbm_rows **)out);
    st = dbm__command_one(on, site, words, count, writes, &row);
    return DBM__LIKELY(st == DBM_OK) ? dbm__redis_result(on, site, (want & 15) == DBM__REDIS_WANT_ROWS ? DBM__REDIS_WANT_NOTHING : want, out, name, row) : st;
}

/* Every out parameter is written, also on failure. False: one that is needed is NULL. */
static bool dbm__redis_clear(int want, void *out) {
    int what = want & 15;
    if (what == DBM__REDIS_WANT_COPY) {
        dbm__redis_buffer *b = (dbm__redis_buffer *)out;
        if (b->data != NULL && b->capacity != 0) b->data[0] = 0;
        if (b->size != NULL) *b->size = 0;
        return true;
    }
    if (what == DBM__REDIS_WANT_INTEGER || what == DBM__REDIS_WANT_TTL) {
        if (out != NULL) *(int64_t *)out = 0;
        return true;
    }
    if (what == DBM__REDIS_WANT_VALUE || what == DBM__REDIS_WANT_ROW || (what == DBM__REDIS_WANT_NEXT && out != NULL)) {
        if (out == NULL) return false;
        *(dbm_row **)out = NULL;
    } else if ((what == DBM__REDIS_WANT_ROWS || what == DBM__REDIS_WANT_NEXT_ROWS) && out != NULL) {
        *(dbm_rows **)out = NULL;
    }
    return true;
}

/* A helper's own words: the name, then its values. words[0] is free for the name, and two are behind for EX. */
static dbm_status dbm__redis_named(dbm_session *on, const char *site, int want, void *out, const char *name, dbm_value *words, int count) {
    if (want & DBM__REDIS_EXPIRES) {
        dbm_value *seconds = &words[count - 1];
        dbm__why why;
        int64_t n = 0;
        if (seconds->type == DBM_TYPE_NULL || dbm__to_int(seconds, 0, INT64_MAX, &n, &why) != DBM_OK) {
            return dbm__on_fail(on, DBM_E_RANGE, site, "the seconds to live are 0 (for ever) or more");
        }
        count--;
        if (n > 0) {
            words[count++] = dbm_textn("EX", 2);
            words[count++] = dbm_int(n);
        }
    }
    words[0] = dbm_textn(name, strlen(name));
    return dbm__redis_run(on, site, want, out, name, words, count);
}

static dbm_status dbm__redis_formatted(dbm_session *on, const char *site, int want, void *out, const char *format, const dbm_value *values, int count) {
    dbm__redis_command c;
    c.on = on;
    c.site = site;
    c.words = c.few;
    c.few[0] = dbm_null();
    c.count = 0;
    c.room = DBM__REDIS_WORDS;
    c.mixed = c.block;
    c.mixed_size = 0;
    c.mixed_room = sizeof c.block;
    c.status = DBM_OK;
    dbm__redis_format(&c, format, values, count);
    if (c.status == DBM_OK) c.status = dbm__redis_run(on, site, want, out, NULL, c.words, c.count);
    dbm__redis_command_free(&c);
    return c.status;
}

/* What a call needs before its values are looked at. */
static dbm_status dbm__redis_ready(dbm_session *on, const char *site, int want, void *out, const char *name) {
    bool complete = dbm__redis_clear(want, out);
    const dbm_database *db;
    dbm__work *w;
    dbm_status st;
    if (DBM__LIKELY(complete && dbm__redis_work(on) != NULL)) return DBM_OK;
    db = dbm__on_database(on);
    if (db == NULL) return dbm__session_bad(on, site);
    w = on->step == DBM__ON_DATABASE ? dbm__open_block((dbm_database *)on->slot) : dbm__work_of(on);
    if (w != NULL && DBM__UNLIKELY(dbm__load(&w->trouble) != 0) && (st = dbm__work_trouble(w, site)) != DBM_OK) return st;
    if (strcmp(db->adapter->type, "redis") != 0) {
        return dbm__on_fail(on, DBM_E_UNSUPPORTED, site, "%s: the database is of type %q; dbm_redis_ calls need one of type 'redis'",
                            name != NULL && !(want & DBM__REDIS_FORMAT) ? name : "a command", db->adapter->type);
    }
    return complete ? DBM_OK : dbm__on_fail(on, DBM_E_MISUSE, site, "the pointer for the row is NULL");
}

/* Values by their codes, texts without their sizes: under %b they need not end in a NUL. Room for DBM__MAX_VALUES. */
static int dbm__redis_read(dbm_value *v, const char *codes, va_list ap) {
    int n = 0;
    for (; *codes != 0; codes++, v++, n++) {
        if (n == DBM__MAX_VALUES) return -1;
        v->name = NULL;
        v->as.text.size = SIZE_MAX;
        switch (*codes) {
        case 's': v->as.text.data = va_arg(ap, const char *); v->type = v->as.text.data != NULL ? DBM_TYPE_TEXT : DBM_TYPE_NULL; break;
        case 'p': v->as.text.data = (const char *)va_arg(ap, const void *); v->type = v->as.text.data != NULL ? DBM_TYPE_INVALID : DBM_TYPE_NULL; break;
        case 'i': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, int); break;
        case 'l': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, long); break;
        case 'q': v->type = DBM_TYPE_INT; v->as.integer = va_arg(ap, long long); break;
        case 'u': v->type = DBM_TYPE_INT; v->as.integer = (int64_t)va_arg(ap, unsigned); break;
        case 'm': v->type = DBM_TYPE_UINT; v->as.uinteger = va_arg(ap, unsigned long); break;
        case 'r': v->type = DBM_TYPE_UINT; v->as.uinteger = va_arg(ap, unsigned long long); break;
        case 'b': v->type = DBM_TYPE_BOOL; v->as.integer = va_arg(ap, int) != 0; break;
        case 'd': v->type = DBM_TYPE_DOUBLE; v->as.real = va_arg(ap, double); break;
        case 'v':
            *v = va_arg(ap, dbm_value);
            if (dbm__redis_is_bytes(v->type) && v->as.text.data == NULL) v->type = v->as.text.size == 0 || v->as.text.size == SIZE_MAX ? DBM_TYPE_NULL : DBM_TYPE_INVALID;
            break;
        default: v->type = DBM_TYPE_INVALID; break;
        }
    }
    return n;
}

/* Texts with their sizes, which need not be copied to be completed. */
static bool dbm__redis_words_are(const dbm_value *words, int count) {
    int i;
    if (words == NULL) return false;
    for (i = 0; i < count; i++) {
        const dbm_value *v = &words[i];
        if ((v->type != DBM_TYPE_TEXT && v->type != DBM_TYPE_BLOB) || v->as.text.data == NULL || v->as.text.size == SIZE_MAX || v->name != NULL) return false;
    }
    return count > 0;
}

static dbm_status dbm__redis_too_many(dbm_session *on, const char *site) {
    return dbm__on_fail(on, DBM_E_LIMIT, site, "more than %d values in one call: dbm_redis_commandv takes any number", (int)DBM__MAX_VALUES);
}

static dbm_status dbm__redis_list(dbm_session *on, const char *site, int want, void *out, const char *name, const char *codes, va_list ap) {
    dbm_value values[DBM__MAX_VALUES + 3];
    bool named = false;
    int count = 0;
    dbm_status st = dbm__redis_ready(on, site, want, out, name);
    if (st != DBM_OK) return st;
    if (want & DBM__REDIS_FORMAT) {
        count = dbm__redis_read(values, codes, ap);
        return count < 0 ? dbm__redis_too_many(on, site) : dbm__redis_formatted(on, site, want, out, name, values, count);
    }
    st = dbm__values_read(values + 1, &count, &named, codes, ap);
    if (st != DBM_OK) return dbm__on_fail(on, st, site, "%s", dbm__self()->last.message);
    return dbm__redis_named(on, site, want, out, name, values, count + 1);
}

DBM__FN dbm_status dbm__redis_commanded(dbm_session *on, const char *site, dbm__redis_use *use, const char *format, const char *codes, va_list *ap) {
    return dbm__redis_list(on, site, DBM__REDIS_FORMAT | DBM__REDIS_WANT_WORDS, use, format, codes, *ap);
}

DBM__DEF dbm_status dbm__redis_call(dbm_session *on, const char *site, int want, void *out, const char *name, const char *codes, ...) {
    dbm_status st;
    va_list ap;
    va_start(ap, codes);
    st = dbm__redis_list(on, site, want, out, name, codes, ap);
    va_end(ap);
    return st;
}

static DBM__NOINLINE dbm_status dbm__redis_listed(dbm_session *on, const char *site, int want, void *out, const char *name, const dbm_value *values, int count) {
    dbm_value few[DBM__MAX_VALUES + 3], *words = few;
    dbm_status st;
    st = dbm__redis_ready(on, site, want, out, name);
    if (DBM__UNLIKELY(st != DBM_OK)) return st;
    if ((want & 15) >= DBM__REDIS_WANT_NEXT && (want & 15) != DBM__REDIS_WANT_WORDS) { /* the reply is dropped where nobody wants it */
        dbm_row *row = NULL;
        if ((want & 15) == DBM__REDIS_WANT_NEXT_ROWS && out != NULL) return dbm__command(on, site, NULL, 0, false, (dbm_rows **)out);
        st = dbm__command_one(on, site, NULL, 0, false, &row);
        if (out != NULL) *(dbm_row **)out = row;
        return st;
    }
    if (count < 0 || (count > 0 && values == NULL)) return dbm__on_fail(on, DBM_E_MISUSE, site, "%d values at %s", count, values == NULL ? "NULL" : "an array");
    if (want & DBM__REDIS_FORMAT) return dbm__redis_formatted(on, site, want, out, name, values, count);
    if (name == NULL && count == 0) return dbm__on_fail(on, DBM_E_MISUSE, site, "the command is empty");
    if (count > DBM__MAX_VALUES) {
        words = (size_t)count < SIZE_MAX / sizeof *words - 3 ? (dbm_value *)dbm__alloc(dbm__on_host(on), ((size_t)count + 3) * sizeof *words) : NULL;
        if (words == NULL) return dbm__on_fail(on, DBM_E_NOMEM, site, "out of memory");
    }
    if (count > 0) memcpy(words + 1, values, (size_t)count * sizeof *words);
    st = dbm__values_check(words + 1, count, NULL, site);
    if (st != DBM_OK) st = dbm__on_fail(on, st, site, "%s", dbm__self()->last.message);
    else if (name == NULL) st = dbm__redis_run(on, site, want, out, NULL, words + 1, count);
    else st = dbm__redis_named(on, site, want, out, name, words, count + 1);
    if (words != few) dbm__free(dbm__on_host(on), words);
    return st;
}

DBM__DEF dbm_status dbm__redis_callv(dbm_session *on, const char *site, int want, void *out, const char *name, const dbm_value *values, int count) {
    dbm__work *w = want == DBM__REDIS_WANT_LATER || want == DBM__REDIS_WANT_NEXT ? dbm__redis_work(on) : NULL;
    dbm_status st;
    if (DBM__LIKELY(w != NULL)) {
        dbm_row *row = NULL;
        if (want == DBM__REDIS_WANT_NEXT && dbm__command_received(w, site, &row, &st)) {
            if (out != NULL) *(dbm_row **)out = row;
            return st;
        }
        if (want == DBM__REDIS_WANT_LATER && dbm__redis_words_are(values, count) && dbm__command_sent(w, site, values, count, dbm__redis_writes(w, values), &st)) return st;
    }
    return dbm__redis_listed(on, site, want, out, name, values, count);
}

DBM__DEF dbm__cursor dbm__redis_eachv(dbm_session *on, const char *site, const char *format, const dbm_value *values, int count) {
    dbm_rows *rows = NULL;
    (void)dbm__redis_callv(on, site, DBM__REDIS_FORMAT | DBM__REDIS_WANT_ROWS, &rows, format, values, count);
    return dbm__cursor_of(rows);
}

DBM__DEF dbm__cursor dbm__redis_each(dbm_session *on, const char *site, const char *format, const char *codes, ...) {
    dbm_rows *rows = NULL;
    va_list ap;
    va_start(ap, codes);
    (void)dbm__redis_list(on, site, DBM__REDIS_FORMAT | DBM__REDIS_WANT_ROWS, &rows, format, codes, ap);
    va_end(ap);
    return dbm__cursor_of(rows);
}
#endif /* DBM_HAS_REDIS */
