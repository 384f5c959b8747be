/* Values and the ground of this room: numbers, times and sizes, memory that is wiped, problems, suggestions, variables.
 * May call: config.h's declarations, base/.
 * Must not know: which keys there are, INI, URLs. */
#include "config.h"

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

DBM__FN bool dbm__cfg_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

DBM__FN bool dbm__parse_int(const char *text, int64_t min, int64_t max, int64_t *out) {
    uint64_t v = 0, limit = (uint64_t)INT64_MAX;
    bool negative;
    if (!text) return false;
    negative = *text == '-';
    if (*text == '-' || *text == '+') text++;
    if (!*text) return false;
    if (negative) limit++;
    for (; *text; text++) {
        unsigned digit = (unsigned)(unsigned char)*text - '0';
        if (digit > 9 || v > (limit - digit) / 10u) return false;
        v = v * 10u + digit;
    }
    /* the lowest number has no positive twin, so it can't be made by a minus sign */
    *out = !negative ? (int64_t)v : v == limit ? INT64_MIN : -(int64_t)v;
    return *out >= min && *out <= max;
}

DBM__FN bool dbm__parse_duration(const char *text, int *out_ms) {
    static const struct { const char *name; int ms; } units[] = {
        { "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 }, { "d", 86400000 }
    };
    int64_t whole = 0, ms, unit = 1000;
    int64_t part = 0, scale = 100000; /* millionths */
    bool digits = false, more = false;
    size_t i;
    if (!text) return false;
    if (strcmp(text, "-1") == 0) {
        *out_ms = -1;
        return true;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        whole = whole * 10 + (*text - '0');
        if (whole > INT_MAX) return false;
        digits = true;
    }
    if (*text == '.' && digits) {
        digits = false;
        for (text++; *text >= '0' && *text <= '9'; text++) {
            if (!scale && *text != '0') more = true;
            part += scale * (*text - '0');
            scale /= 10;
            digits = true;
        }
    }
    if (!digits) return false;
    while (*text == ' ' || *text == '\t') text++;
    if (*text) {
        for (i = 0; i < sizeof units / sizeof units[0] && !dbm__same_word(text, units[i].name); i++) {}
        if (i == sizeof units / sizeof units[0]) return false;
        unit = units[i].ms;
    }
    ms = whole * unit + (part * unit + (more ? 1 : 0) + 999999) / 1000000;
    if (ms > INT_MAX) return false;
    *out_ms = (int)ms;
    return true;
}

DBM__FN bool dbm__parse_bool(const char *text, bool *out) {
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    size_t i;
    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!dbm__same_word(text, words[i])) continue;
        *out = i % 2 != 0;
        return true;
    }
    return false;
}

DBM__FN bool dbm__parse_size(const char *text, size_t *out) {
    static const char letters[] = "kmg";
    size_t v = 0;
    int shift = 0;
    const char *from = text, *letter;
    if (!text) return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        size_t digit = (size_t)(*text - '0');
        if (v > (SIZE_MAX - digit) / 10u) return false;
        v = v * 10u + digit;
    }
    if (text == from) return false;
    while (*text == ' ' || *text == '\t') text++;
    if (*text) {
        letter = strchr(letters, *text >= 'A' && *text <= 'Z' ? *text - 'A' + 'a' : *text);
        if (letter) {
            shift = 10 * ((int)(letter - letters) + 1);
            text++;
            if (*text && !dbm__same_word(text, "b") && !dbm__same_word(text, "ib")) return false;
        } else if (!dbm__same_word(text, "b")) {
            return false;
        }
    }
    if (shift && v > (SIZE_MAX >> shift)) return false;
    *out = v << shift;
    return true;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

DBM__FN void *dbm__cfg_alloc(dbm__cfg_memory *m, size_t size) {
    dbm__cfg_block *block;
    if (m->failed || size > SIZE_MAX - sizeof *block) {
        m->failed = true;
        return NULL;
    }
    block = (dbm__cfg_block *)dbm__alloc_zero(m->host, sizeof *block + size);
    if (!block) {
        m->failed = true;
        return NULL;
    }
    block->next = m->blocks;
    block->size = size;
    m->blocks = block;
    return block + 1;
}

DBM__FN char *dbm__cfg_copy(dbm__cfg_memory *m, const char *text, size_t size) {
    char *copy = (char *)dbm__cfg_alloc(m, size + 1);
    if (copy && size) memcpy(copy, text, size);
    return copy;
}

DBM__FN void *dbm__cfg_room(dbm__cfg_memory *m, void *items, size_t count, size_t *capacity, size_t size) {
    void *more;
    if (count < *capacity) return items;
    more = dbm__cfg_alloc(m, (*capacity ? *capacity * 2 : 16) * size);
    if (!more) return NULL;
    if (count) memcpy(more, items, count * size);
    *capacity = *capacity ? *capacity * 2 : 16;
    return more;
}

DBM__FN void dbm__cfg_release(dbm__cfg_memory *m) {
    while (m->blocks) {
        dbm__cfg_block *block = m->blocks;
        m->blocks = block->next;
        dbm__wipe(block + 1, block->size);
        dbm__free(m->host, block);
    }
}

DBM__FN void dbm__cfg_add(dbm__cfg_buffer *b, const char *text, size_t size) {
    size_t capacity;
    char *data;
    if (size >= SIZE_MAX / 4 - b->size) {
        b->memory->failed = true;
        return;
    }
    if (b->size + size >= b->capacity) {
        capacity = b->capacity ? b->capacity : 64;
        while (capacity <= b->size + size) capacity *= 2;
        data = (char *)dbm__cfg_alloc(b->memory, capacity);
        if (!data) return;
        if (b->size) {
            memcpy(data, b->data, b->size);
            dbm__wipe(b->data, b->size);
        }
        b->data = data;
        b->capacity = capacity;
    }
    if (size) memcpy(b->data + b->size, text, size);
    b->size += size;
    b->data[b->size] = 0;
}

DBM__FN const char *dbm__cfg_text(dbm__cfg_buffer *b) { return b->data ? b->data : ""; }

/* ---- problems ---------------------------------------------------------------------------------------------------- */

enum { DBM__CFG_LOGGED = 200 }; /* problems beyond are only counted: a wrong file must not flood the log */

DBM__FN void dbm__problems_init(dbm__problems *p, dbm__host *host, char *block, size_t capacity) {
    p->host = host;
    p->text = dbm__text_in(block, capacity);
    p->count = p->shown = p->not_compiled = 0;
}

static void dbm__cfg_put_problem(dbm__text *t, const char *file, int line, const char *section, const char *key, const char *format, va_list ap) {
    if (file) {
        dbm__put(t, file);
        if (line > 0) dbm__putf(t, ":%d", line);
        dbm__put(t, ": ");
    }
    if (section) dbm__putf(t, "[%s] ", section);
    if (key) dbm__putf(t, "%s: ", key);
    dbm__putv(t, format, ap);
}

static void dbm__cfg_problem(dbm__problems *p, const char *file, int line, const char *section, const char *key, const char *format, va_list ap) {
    char block[512];
    dbm__text log;
    size_t before = p->text.size;
    va_list again;
    if (p->count < INT_MAX) p->count++;
    if (p->shown == p->count - 1) { /* once one did not fit, the rest goes to the log too: the text stays in order */
        va_copy(again, ap);
        dbm__cfg_put_problem(&p->text, file, line, section, key, format, again);
        va_end(again);
        dbm__put_n(&p->text, "\n", 1);
        if (!p->text.cut) {
            p->shown = p->count;
            return;
        }
        if (!before) { /* the only one: better cut than not at all */
            dbm__text_end(&p->text);
            p->shown = p->count;
        } else {
            p->text.size = before;
            p->text.data[before] = 0;
            p->text.cut = false;
        }
    }
    if (p->count > DBM__CFG_LOGGED || !dbm__event_wanted(p->host, DBM_LOG_ERROR)) return;
    log = dbm__text_in(block, sizeof block);
    dbm__cfg_put_problem(&log, file, line, section, key, format, ap);
    dbm__text_end(&log);
    if (section && strncmp(section, "databases.", 10) == 0) section += 10;
    dbm__event(p->host, DBM_EVENT_CONFIG_ERROR, DBM_LOG_ERROR, section ? section : "", NULL, DBM_E_CONFIG, 0, "%s", block);
}

DBM__FN void dbm__problem(dbm__problems *p, const char *file, int line, const char *section, const char *key, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    dbm__cfg_problem(p, file, line, section, key, format, ap);
    va_end(ap);
}

DBM__FN bool dbm__cfg_bad(dbm__problems *p, const dbm__cfg_at *at, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    dbm__cfg_problem(p, at->file, at->line, at->section, at->key, format, ap);
    va_end(ap);
    return false;
}

/* ---- suggestions ------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__cfg_names_add(dbm__cfg_names *names, const char *list) {
    const char *item;
    size_t size;
    while ((item = dbm__list_next(&list, &size)) != NULL) {
        const char **items = (const char **)dbm__cfg_room(names->memory, (void *)names->items, names->count, &names->capacity, sizeof *items);
        if (!items) return;
        names->items = items;
        items[names->count] = dbm__cfg_copy(names->memory, item, size);
        if (!items[names->count]) return;
        names->count++;
    }
}

DBM__FN const char *dbm__cfg_suggest(const dbm__cfg_names *names, const char *word, char *block, size_t capacity) {
    const char *nearest = names->count ? dbm__nearest(word, names->items, names->count) : NULL;
    block[0] = 0;
    if (nearest) dbm__format(block, capacity, "; did you mean %q?", nearest);
    return block;
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

DBM__FN const char *dbm__cfg_env(const char *name) {
#if DBM__ENV
    return getenv(name);
#else
    (void)name;
    return NULL;
#endif
}

DBM__FN const char *dbm__cfg_next(const char *c, const char *end, bool variables) {
    if (variables && *c == '$' && end - c >= 2) {
        if (c[1] == '$') return c + 2;
        if (c[1] == '{') {
            const char *close = (const char *)memchr(c, '}', (size_t)(end - c));
            return close ? close + 1 : end;
        }
    }
    return c + 1;
}

/* The variable from c to end, `${` to `}`. False after a problem. */
static bool dbm__cfg_variable(dbm__cfg_buffer *b, const char *c, const char *end, unsigned how, dbm__problems *p,
                              const dbm__cfg_at *at, const char *of, const char *part) {
    char name[128];
    const char *from = c + 2, *stop = end - 1, *value, *fallback = NULL;
    size_t i;
    if (end - c < 3 || *stop != '}') return dbm__cfg_bad(p, at, "%s%s${ has no closing }; a literal $ before { is written $$", part, of);
    for (i = 0; from + i < stop && (from[i] == '_' || (from[i] >= 'A' && from[i] <= 'Z') || (from[i] >= 'a' && from[i] <= 'z') ||
                                    (i && from[i] >= '0' && from[i] <= '9')); i++) {}
    if (from + i < stop && from[i] == ':' && from + i + 1 < stop && from[i + 1] == '-') fallback = from + i + 2;
    if (!i || i >= sizeof name || (from + i < stop && !fallback)) {
        return dbm__cfg_bad(p, at, "%s%sexpected ${NAME} or ${NAME:-default}, NAME of letters, digits and _; a literal $ before { is written $$", part, of);
    }
    memcpy(name, from, i);
    name[i] = 0;
    value = dbm__cfg_env(name);
    if (fallback && (!value || !*value)) {
        dbm__cfg_add(b, fallback, (size_t)(stop - fallback));
        return true;
    }
    if (!value) {
#if DBM__ENV
        return dbm__cfg_bad(p, at, "%s%sthe environment variable %s is not set; set it, or write ${%s:-default}", part, of, name, name);
#else
        return dbm__cfg_bad(p, at, "%s%sthe variable %s cannot be read: this program is built without an environment (DBM_NO_ENV)", part, of, name);
#endif
    }
    if (!(how & DBM__CFG_HOSTS)) {
        dbm__cfg_add(b, value, strlen(value));
        return true;
    }
    for (; *value; value++) dbm__cfg_add(b, *value == '%' ? "%25" : value, *value == '%' ? 3 : 1);
    return true;
}

DBM__FN const char *dbm__cfg_expand(dbm__cfg_memory *m, const char *text, size_t size, unsigned how, dbm__problems *p,
                                    const dbm__cfg_at *at, const char *part) {
    dbm__cfg_buffer b;
    const char *end = text + size, *next, *of = part ? ": " : "";
    bool variables = (how & DBM__CFG_VARIABLES) != 0;
    char c;
    memset(&b, 0, sizeof b);
    b.memory = m;
    if (!part) part = "";
    for (; text < end; text = next) {
        next = dbm__cfg_next(text, end, variables);
        if (variables && *text == '$' && end - text >= 2 && text[1] == '{') {
            if (!dbm__cfg_variable(&b, text, next, how, p, at, of, part)) return NULL;
        } else if (*text == '%' && (how & DBM__CFG_DECODE)) {
            if (end - text < 3 || dbm__hex(text[1]) < 0 || dbm__hex(text[2]) < 0) {
                dbm__cfg_bad(p, at, "%s%sa %% must be followed by two hexadecimal digits; a literal %% is written %%25", part, of);
                return NULL;
            }
            c = (char)(unsigned char)(dbm__hex(text[1]) * 16 + dbm__hex(text[2]));
            if (!c) {
                dbm__cfg_bad(p, at, "%s%s%%00 is not allowed", part, of);
                return NULL;
            }
            dbm__cfg_add(&b, &c, 1);
            next = text + 3;
        } else {
            dbm__cfg_add(&b, text, 1);
        }
    }
    return m->failed ? NULL : dbm__cfg_text(&b);
}
