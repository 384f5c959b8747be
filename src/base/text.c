/* Texts: the builder, its formats, comparing words, and finding the word that was probably meant.
 * May call: base.h's declarations, the C library's memory and string functions.
 * Must not know: what a text is for. It allocates nothing and reports nothing. */
#include "base.h"

/* ---- cutting ------------------------------------------------------------------------------------------------------- */

/* `size` without a UTF-8 sequence that begins in the last bytes and does not end there. Bytes that are not UTF-8 stay. */
static size_t dbm__whole(const char *data, size_t size) {
    size_t back, need;
    for (back = 1; back <= 4 && back <= size; back++) {
        unsigned char c = (unsigned char)data[size - back];
        if ((c & 0xC0u) == 0x80u) continue;
        need = c >= 0xF0u ? 4 : c >= 0xE0u ? 3 : c >= 0xC0u ? 2 : 1;
        return need > back ? size - back : size;
    }
    return size;
}

DBM__FN dbm__text dbm__text_in(char *block, size_t capacity) {
    dbm__text t;
    t.data = block;
    t.size = 0;
    t.capacity = capacity;
    t.cut = false;
    if (capacity) block[0] = 0;
    return t;
}

DBM__FN void dbm__text_end(dbm__text *t) {
    if (!t->cut || t->capacity < 4) return;
    if (t->size > t->capacity - 4) t->size = dbm__whole(t->data, t->capacity - 4);
    memcpy(t->data + t->size, "...", 4);
    t->size += 3;
}

/* ---- putting ------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__put_n(dbm__text *t, const char *text, size_t size) {
    size_t room;
    if (t->cut || !size) return; /* what follows a gap would read as if there were none */
    room = t->capacity ? t->capacity - 1 - t->size : 0;
    if (size > room) {
        t->cut = true;
        if (!t->capacity) return;
        size = room;
    }
    if (size) memcpy(t->data + t->size, text, size);
    t->size += size;
    if (t->cut) t->size = dbm__whole(t->data, t->size);
    t->data[t->size] = 0;
}

DBM__FN void dbm__put(dbm__text *t, const char *text) {
    if (!text) text = "(null)";
    dbm__put_n(t, text, strlen(text));
}

static void dbm__put_uint(dbm__text *t, uint64_t v, bool negative) {
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + (int)(v % 10u));
        v /= 10u;
    } while (v);
    if (negative) digits[--at] = '-';
    dbm__put_n(t, digits + at, sizeof digits - at);
}

DBM__FN void dbm__put_int(dbm__text *t, int64_t v) {
    dbm__put_uint(t, v < 0 ? 0u - (uint64_t)v : (uint64_t)v, v < 0);
}

/* Cut down, never rounded up: "held for 2 s" then means at least two. */
static void dbm__put_duration(dbm__text *t, int64_t us) {
    static const struct { uint32_t seconds, part; const char *unit, *part_unit; } steps[] = {
        { 86400u, 3600u, " d", " h" }, { 3600u, 60u, " h", " min" }, { 60u, 1u, " min", " s" }
    };
    uint64_t v = us < 0 ? 0u - (uint64_t)us : (uint64_t)us, seconds = v / 1000000u, tenths;
    size_t i;
    const char *unit = " s";
    if (us < 0) dbm__put_n(t, "-", 1);
    for (i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (seconds < steps[i].seconds) continue;
        dbm__put_uint(t, seconds / steps[i].seconds, false);
        dbm__put(t, steps[i].unit);
        seconds = seconds % steps[i].seconds / steps[i].part;
        if (seconds) {
            dbm__put_n(t, " ", 1);
            dbm__put_uint(t, seconds, false);
            dbm__put(t, steps[i].part_unit);
        }
        return;
    }
    if (v < 1000u) {
        dbm__put_uint(t, v, false);
        dbm__put_n(t, " us", 3);
        return;
    }
    tenths = v / 100000u;
    if (v < 1000000u) { tenths = v / 100u; unit = " ms"; }
    dbm__put_uint(t, tenths / 10u, false);
    if (tenths < 100u && tenths % 10u) {
        dbm__put_n(t, ".", 1);
        dbm__put_uint(t, tenths % 10u, false);
    }
    dbm__put(t, unit);
}

/* ---- formats ------------------------------------------------------------------------------------------------------- */

DBM__FN void dbm__putv(dbm__text *t, const char *format, va_list ap) {
    const char *from, *text;
    char c;
    while (*format) {
        from = format;
        while (*format && *format != '%') format++;
        dbm__put_n(t, from, (size_t)(format - from));
        if (!*format || !format[1]) break;
        switch (format[1]) {
        case 's': dbm__put(t, va_arg(ap, const char *)); break;
        case 'd': dbm__put_int(t, va_arg(ap, int)); break;
        case 'l': dbm__put_int(t, va_arg(ap, int64_t)); break;
        case 'u': dbm__put_uint(t, va_arg(ap, uint64_t), false); break;
        case 'z': dbm__put_uint(t, va_arg(ap, size_t), false); break;
        case 'm': dbm__put_duration(t, va_arg(ap, int64_t)); break;
        case 'c':
            c = (char)va_arg(ap, int);
            dbm__put_n(t, &c, 1);
            break;
        case 'q':
            text = va_arg(ap, const char *);
            if (text) dbm__put_n(t, "'", 1);
            dbm__put(t, text);
            if (text) dbm__put_n(t, "'", 1);
            break;
        case '%': dbm__put_n(t, "%", 1); break;
        default: /* an unknown one shows as it stands: it takes no argument, so the ones after it stay right */
            DBM_ASSERT(format[1] == 0);
            dbm__put_n(t, format, 2);
            break;
        }
        format += 2;
    }
}

DBM__FN void dbm__putf(dbm__text *t, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    dbm__putv(t, format, ap);
    va_end(ap);
}

DBM__FN void dbm__format(char *block, size_t capacity, const char *format, ...) { DBM__FORMAT(block, capacity, format); }

DBM__FN void dbm__copy_cut(char *block, size_t capacity, const char *text) {
    dbm__text t = dbm__text_in(block, capacity);
    if (text) dbm__put(&t, text);
    dbm__text_end(&t);
}

DBM__FN int dbm__hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

DBM__FN bool dbm__host_next(const char **list, char *host, size_t size, int *port) {
    const char *c = *list, *end = c + strcspn(c, ","), *last;
    size_t n = 0;
    bool whole = size != 0;
    *list = *end ? end + 1 : NULL;
    last = (const char *)memchr(c, *c == '[' ? ']' : ':', (size_t)(end - c));
    if (!last) last = end;
    for (c += *c == '['; c < last; c++) {
        char one = *c;
        if (one == '%' && last - c > 2 && dbm__hex(c[1]) >= 0 && dbm__hex(c[2]) >= 0) {
            one = (char)(dbm__hex(c[1]) * 16 + dbm__hex(c[2]));
            c += 2;
        }
        if (n + 1 < size) host[n++] = one;
        else whole = false;
    }
    if (size) host[n] = 0;
    if (last < end && *last == ']') last++;
    if (end - last > 1 && *last == ':') for (*port = 0, last++; last < end && *port < 100000; last++) *port = *port * 10 + (*last - '0');
    return whole;
}

DBM__FN size_t dbm__percent(char c, const char *plain, char code[3]) {
    static const char digits[] = "0123456789ABCDEF";
    code[0] = c;
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c != 0 && strchr(plain, c))) return 1;
    code[0] = '%';
    code[1] = digits[(unsigned char)c >> 4];
    code[2] = digits[(unsigned char)c & 15u];
    return 3;
}

/* ---- words --------------------------------------------------------------------------------------------------------- */

/* Not tolower(): that follows the program's locale, in which I and i need not be the same letter. */
static int dbm__lower(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c; }

DBM__FN bool dbm__same_word_n(const char *a, size_t an, const char *b) {
    if (!a || !b) return false;
    for (; an; an--, a++, b++) {
        if (!*b || dbm__lower(*a) != dbm__lower(*b)) return false;
    }
    return !*b;
}

DBM__FN bool dbm__same_word(const char *a, const char *b) { return a && dbm__same_word_n(a, strlen(a), b); }

DBM__FN const char *dbm__list_next(const char **list, size_t *size) {
    const char *from = *list, *to;
    if (!from) return NULL;
    while (*from == ' ' || *from == ',') from++;
    to = *list = from + strcspn(from, ",");
    while (to > from && to[-1] == ' ') to--;
    *size = (size_t)(to - from);
    return to > from ? from : NULL;
}

DBM__FN bool dbm__list_has(const char *list, const char *word, size_t size) {
    const char *item;
    size_t n;
    while (word && (item = dbm__list_next(&list, &n)) != NULL) if (n == size && memcmp(item, word, size) == 0) return true;
    return false;
}

enum { DBM__NEAREST_MAX = 64 }; /* longer words are not compared: no name or key is that long */

/* How many letters must be put in, left out, changed or swapped with their neighbour. Three rows are kept: a swap looks two back. */
static size_t dbm__distance(const char *a, size_t an, const char *b, size_t bn) {
    unsigned char rows[3][DBM__NEAREST_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2], *turn;
    size_t i, j, best;
    for (j = 0; j <= bn; j++) before[j] = last[j] = (unsigned char)j;
    for (i = 1; i <= an; i++) {
        row[0] = (unsigned char)i;
        for (j = 1; j <= bn; j++) {
            int x = dbm__lower(a[i - 1]), y = dbm__lower(b[j - 1]);
            best = (size_t)last[j - 1] + (x != y);
            if (best > (size_t)last[j] + 1) best = (size_t)last[j] + 1;
            if (best > (size_t)row[j - 1] + 1) best = (size_t)row[j - 1] + 1;
            if (i > 1 && j > 1 && x == dbm__lower(b[j - 2]) && y == dbm__lower(a[i - 2]) && best > (size_t)before[j - 2] + 1) {
                best = (size_t)before[j - 2] + 1;
            }
            row[j] = (unsigned char)best;
        }
        turn = before;
        before = last;
        last = row;
        row = turn;
    }
    return last[bn];
}

DBM__FN const char *dbm__nearest(const char *word, const char *const *names, size_t count) {
    const char *found = NULL;
    size_t length, limit, i;
    if (!word) return NULL;
    length = strlen(word);
    if (!length || length > DBM__NEAREST_MAX) return NULL;
    limit = length / 3 ? length / 3 : 1;
    for (i = 0; i < count; i++) {
        size_t size = names[i] ? strlen(names[i]) : 0, distance;
        if (!size || size > DBM__NEAREST_MAX || (size > length ? size - length : length - size) > limit) continue;
        distance = dbm__distance(word, length, names[i], size);
        if (distance > limit || distance >= (size > length ? size : length)) continue; /* some letter must be common */
        found = names[i];
        if (!distance) break;
        limit = distance - 1;
    }
    return found;
}
