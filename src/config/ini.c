/* INI files, through inih: it says which line is a section, a key or the continuation of a value; what the lines hold stays
 * here, whole, with its line number. Then overrides, and a dbm__settings for each section.
 * May call: config.h's declarations, base/, inih.
 * Must not know: what a key means. */
#include "config.h"
#if DBM_HAS_INI
#  if defined(__has_include) && !defined(DBM__BUNDLED_INI_H)
#    if !__has_include(<ini.h>)
#      error "dbm: DBM_WITH_INI needs ini.h of inih: install libinih-dev (Debian), inih-dev (Alpine), inih (macOS), or put ini.h on the include path"
#    endif
#  endif
#  include <ini.h>

/* inih cuts a line at 200 bytes and a value at ` ;`, counts no lines for its handler, and takes no NUL. So it never gets a
 * value: of `  url = postgresql://...` it reads `  url =~`, of a section `[3]`. It answers to each line before it asks for the
 * next, so the line in hand is the one it is about:
 *
 *     file --line--> dbm__ini_read --stand-in--> inih --key, continuation or nothing--> dbm__ini_take --> sections, entries
 */
enum {
    DBM__INI_FILE_MAX = 16 * 1024 * 1024,
    DBM__INI_HEAD_MAX = 120,   /* of a key; inih has room for 200 with all else */
    DBM__INI_SECTIONS_MAX = 1000, DBM__INI_ENTRIES_MAX = 500
};
typedef enum dbm__ini_kind { DBM__INI_NOTHING, DBM__INI_SECTION, DBM__INI_KEY, DBM__INI_BARE } dbm__ini_kind;

typedef struct dbm__ini_piece { struct dbm__ini_piece *next; const char *text; size_t size; } dbm__ini_piece;
typedef struct dbm__ini_entry {
    struct dbm__ini_entry *next;
    const char *key;
    int line;
    dbm__ini_piece first, *last;
} dbm__ini_entry;
typedef struct dbm__ini_section {
    struct dbm__ini_section *next;
    const char *title, *name;    /* "databases.default", "default" */
    int line;
    bool again;                  /* there is an earlier one */
    dbm__ini_entry *first, *last;
    size_t count;
} dbm__ini_section;

typedef struct dbm__ini {
    dbm__cfg_memory memory;
    dbm__problems *p;
    const char *file, *at, *end;
    int number, ordinal;         /* lines and sections so far */
    bool nul, first_seen;        /* a NUL was reported; a section was seen */
    /* the line in hand */
    dbm__ini_kind kind;
    const char *line;            /* without leading blanks */
    size_t size, head;           /* head: bytes before the = or : */
    bool indented, taken, long_head;
    /* what there is */
    dbm__ini_section *sections, *last, *current; /* current: NULL in other services' sections */
    size_t count;
    dbm__ini_entry *entry;       /* which an indented line continues */
} dbm__ini;

static size_t dbm__ini_trim(const char **text, size_t size) {
    while (size && dbm__cfg_blank(**text)) {
        (*text)++;
        size--;
    }
    while (size && dbm__cfg_blank((*text)[size - 1])) size--;
    return size;
}

/* ---- sections ---------------------------------------------------------------------------------------------------- */

/* The name between [ and ]; false when there is no ]. */
static bool dbm__ini_title(const dbm__ini *d, const char **title, size_t *size) {
    const char *close = (const char *)memchr(d->line, ']', d->size);
    if (!close) return false;
    *title = d->line + 1;
    *size = dbm__ini_trim(title, (size_t)(close - *title));
    return true;
}

/* Whether a section is about databases: 1 yes, 0 no, -1 it looks as if it were meant to be. */
static int dbm__ini_ours(const char *title, size_t size) {
    static const char *const wanted[] = { "databases" };
    char word[16];
    size_t head;
    if (size > 10 && memcmp(title, "databases.", 10) == 0) return 1;
    for (head = 0; head < size && !strchr(".:/", title[head]) && !dbm__cfg_blank(title[head]); head++) {}
    if (head < 6 || head >= sizeof word) return 0;
    memcpy(word, title, head);
    word[head] = 0;
    if (head == size) return dbm__same_word(word, wanted[0]) ? -1 : 0;
    return dbm__nearest(word, wanted, 1) ? -1 : 0;
}

static void dbm__ini_section_begin(dbm__ini *d) {
    const char *title, *rest;
    char shown[80], name[80];
    size_t size, more;
    int ours;
    dbm__ini_section *s;
    const dbm__ini_section *other;
    dbm__text t;
    d->current = NULL;
    d->entry = NULL;
    d->first_seen = true;
    if (!dbm__ini_title(d, &title, &size)) {
        title = d->line + 1;
        size = dbm__ini_trim(&title, d->size - 1);
        if (dbm__ini_ours(title, size)) dbm__problem(d->p, d->file, d->number, NULL, NULL, "a section's [ has no ]; expected [databases.NAME]");
        return;
    }
    ours = dbm__ini_ours(title, size);
    if (!ours) return;
    t = dbm__text_in(shown, sizeof shown);
    dbm__put_n(&t, title, size);
    dbm__text_end(&t);
    name[0] = 0;
    if (ours > 0 && size - 10 < sizeof name) {
        memcpy(name, title + 10, size - 10);
        name[size - 10] = 0;
    }
    if (ours < 0) {
        dbm__problem(d->p, d->file, d->number, NULL, NULL, "section [%s]: a database's section is written [databases.NAME]", shown);
        return;
    }
    if (!dbm__cfg_name_ok(name)) {
        dbm__problem(d->p, d->file, d->number, NULL, NULL, "section [%s]: a database's name is of letters, digits, _ and -, up to 63 of them", shown);
        return;
    }
    rest = (const char *)memchr(title + size, ']', (size_t)(d->line + d->size - (title + size))) + 1;
    more = dbm__ini_trim(&rest, (size_t)(d->line + d->size - rest));
    if (more && *rest != ';' && *rest != '#') {
        dbm__problem(d->p, d->file, d->number, shown, NULL, "there is a text after the ]; a key goes on a line of its own");
    }
    if (d->count >= DBM__INI_SECTIONS_MAX) {
        if (d->count == DBM__INI_SECTIONS_MAX) {
            dbm__problem(d->p, d->file, d->number, NULL, NULL, "more than 1,000 databases; this and later sections are not read");
            d->count++;
        }
        return;
    }
    s = (dbm__ini_section *)dbm__cfg_alloc(&d->memory, sizeof *s);
    if (!s) return;
    s->line = d->number;
    s->title = dbm__cfg_copy(&d->memory, shown, strlen(shown));
    if (!s->title) return;
    s->name = s->title + 10;
    for (other = d->sections; other; other = other->next) {
        if (other->again || strcmp(other->name, s->name) != 0) continue;
        s->again = true;
        dbm__problem(d->p, d->file, d->number, s->title, NULL, "the section is there already, at line %d", other->line);
    }
    if (d->last) d->last->next = s;
    else d->sections = s;
    d->last = d->current = s;
    d->count++;
}

/* ---- lines: what inih reads -------------------------------------------------------------------------------------- */

/* Before the next line: what inih had no word for. */
static void dbm__ini_settle(dbm__ini *d) {
    if (d->taken || d->memory.failed) return;
    if (d->kind == DBM__INI_SECTION) {
        dbm__ini_section_begin(d);
    } else if (d->kind != DBM__INI_NOTHING && d->current) {
        dbm__problem(d->p, d->file, d->number, d->current->title, NULL, "expected key = value, a section or a comment");
    }
    d->kind = DBM__INI_NOTHING;
}

/* Takes the next line out of the text. */
static void dbm__ini_line(dbm__ini *d) {
    const char *end = d->at;
    while (end < d->end && *end != '\n' && *end != '\r') end++;
    d->line = d->at;
    d->size = (size_t)(end - d->at);
    d->at = end;
    if (d->at < d->end && *d->at++ == '\r' && d->at < d->end && *d->at == '\n') d->at++;
    d->number++;
    d->kind = DBM__INI_NOTHING;
    d->taken = d->indented = d->long_head = false;
    if (d->size && memchr(d->line, 0, d->size)) {
        if (!d->nul) {
            dbm__problem(d->p, d->file, d->number, d->current ? d->current->title : NULL, NULL,
                         "a NUL byte; the file must be plain text (UTF-8, not UTF-16)");
        }
        d->nul = true;
        return;
    }
    d->indented = d->size && dbm__cfg_blank(*d->line);
    d->size = dbm__ini_trim(&d->line, d->size);
    if (!d->size || *d->line == ';' || *d->line == '#') return;
    for (d->head = 0; d->head < d->size && d->line[d->head] != '=' && d->line[d->head] != ':'; d->head++) {}
    d->kind = *d->line == '[' ? DBM__INI_SECTION : d->head < d->size ? DBM__INI_KEY : DBM__INI_BARE;
}

static char *dbm__ini_read(char *block, int capacity, void *stream) {
    dbm__ini *d = (dbm__ini *)stream;
    dbm__text t;
    size_t head, room;
    dbm__ini_settle(d);
    if (d->at >= d->end || d->memory.failed || capacity < 32) return NULL;
    dbm__ini_line(d);
    t = dbm__text_in(block, (size_t)capacity);
    if (d->indented) dbm__put(&t, " ");
    switch (d->kind) {
    case DBM__INI_NOTHING: break;
    case DBM__INI_SECTION: dbm__putf(&t, "[%d]", ++d->ordinal); break;
    case DBM__INI_BARE: dbm__put(&t, "?"); break; /* not the text: it may be part of a secret */
    case DBM__INI_KEY:
        room = (size_t)capacity - 8;
        if (room > DBM__INI_HEAD_MAX) room = DBM__INI_HEAD_MAX;
        head = d->head;
        if (head > room) {
            head = room;
            d->long_head = true;
        }
        dbm__put_n(&t, d->line, head);
        dbm__put(&t, "=~");
        break;
    }
    dbm__put(&t, "\n");
    return block;
}

/* ---- entries: what inih says ------------------------------------------------------------------------------------- */

static void dbm__ini_continue(dbm__ini *d) {
    dbm__ini_piece *piece;
    const char *title, *key = d->line;
    size_t size;
    if (!d->entry || !d->current) return;
    if (d->kind == DBM__INI_SECTION) {
        if (dbm__ini_title(d, &title, &size) && dbm__ini_ours(title, size)) {
            dbm__problem(d->p, d->file, d->number, d->current->title, NULL, "an indented line continues the value of %q above; a section begins in "
                         "the first column", d->entry->key);
            return;
        }
    } else if (d->kind == DBM__INI_KEY) {
        size = dbm__ini_trim(&key, d->head);
        if (dbm__cfg_known_key(key, size)) {
            char shown[32];
            dbm__text t = dbm__text_in(shown, sizeof shown);
            dbm__put_n(&t, key, size);
            dbm__problem(d->p, d->file, d->number, d->current->title, shown,
                         "an indented line continues the value of %q above; a key begins in the first column", d->entry->key);
            return;
        }
    }
    piece = (dbm__ini_piece *)dbm__cfg_alloc(&d->memory, sizeof *piece);
    if (!piece) return;
    piece->text = d->line;
    piece->size = d->size;
    d->entry->last->next = piece;
    d->entry->last = piece;
}

static void dbm__ini_key(dbm__ini *d, const char *name) {
    dbm__ini_section *s = d->current;
    dbm__ini_entry *entry, *other;
    d->entry = NULL;
    if (!s) {
        if (!d->first_seen && dbm__cfg_known_key(name, strlen(name))) {
            dbm__problem(d->p, d->file, d->number, NULL, name, "the key is above the first section; expected [databases.NAME] before it");
        }
        return;
    }
    if (d->long_head || !*name) {
        dbm__problem(d->p, d->file, d->number, s->title, NULL, d->long_head ? "the text before the = is too long for a key" : "there is no key before the =");
        return;
    }
    for (other = s->first; other && strcmp(other->key, name) != 0; other = other->next) {}
    if (other) dbm__problem(d->p, d->file, d->number, s->title, other->key, "the key is there already, at line %d", other->line);
    if (s->count++ >= DBM__INI_ENTRIES_MAX) {
        if (s->count == DBM__INI_ENTRIES_MAX + 1) {
            dbm__problem(d->p, d->file, d->number, s->title, NULL, "more than 500 keys; this and later ones are not read");
        }
        return;
    }
    entry = (dbm__ini_entry *)dbm__cfg_alloc(&d->memory, sizeof *entry);
    if (!entry) return;
    entry->key = dbm__cfg_copy(&d->memory, name, strlen(name));
    if (!entry->key) return;
    entry->line = d->number;
    entry->first.text = d->line + d->head + 1;
    entry->first.size = dbm__ini_trim(&entry->first.text, d->size - d->head - 1);
    entry->last = &entry->first;
    d->entry = entry;
    if (other) return; /* read on, so that its continuation has a place; it counts for nothing */
    if (s->last) s->last->next = entry;
    else s->first = entry;
    s->last = entry;
}

/* inih's handler. An error of ours is noted, never returned, so that all of them are found. */
#if INI_HANDLER_LINENO
static int dbm__ini_take(void *user, const char *section, const char *name, const char *value, int line) {
    dbm__ini *d = (dbm__ini *)user;
    (void)line;
#else
static int dbm__ini_take(void *user, const char *section, const char *name, const char *value) {
    dbm__ini *d = (dbm__ini *)user;
#endif
    (void)section;
    if (!name || !value) return 1;
    d->taken = true;
    if (d->kind == DBM__INI_KEY && strcmp(value, "~") == 0) dbm__ini_key(d, name);
    else dbm__ini_continue(d);
    return 1;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Where a comment may begin. */
typedef enum dbm__ini_comment { DBM__INI_LOOSE, DBM__INI_CAREFUL, DBM__INI_WHOLE } dbm__ini_comment;

static dbm__ini_comment dbm__ini_comments(const char *key) {
    if (strcmp(key, "init_sql") == 0) return DBM__INI_WHOLE;
    return strcmp(key, "url") == 0 || !dbm__cfg_known_key(key, strlen(key)) ? DBM__INI_CAREFUL : DBM__INI_LOOSE;
}

static size_t dbm__ini_uncomment(const char *text, size_t size, dbm__ini_comment how) {
    size_t i;
    for (i = 0; i < size && how != DBM__INI_WHOLE; i++) {
        if (text[i] != ';' || (i && !dbm__cfg_blank(text[i - 1]))) continue;
        if (how == DBM__INI_CAREFUL && i + 1 < size && !dbm__cfg_blank(text[i + 1])) continue;
        size = i;
        break;
    }
    while (size && dbm__cfg_blank(text[size - 1])) size--;
    return size;
}

/* The value of an entry, in one text, without comments and quotes. NULL after a problem or without memory. */
static const char *dbm__ini_value(dbm__ini *d, const dbm__ini_entry *entry, const dbm__cfg_at *at) {
    dbm__cfg_buffer b;
    const dbm__ini_piece *piece = &entry->first;
    const char *text = piece->text;
    size_t i = 1, size = piece->size;
    memset(&b, 0, sizeof b);
    b.memory = &d->memory;
    if (!size || *text != '"') {
        for (; piece; piece = piece->next) {
            size = dbm__ini_uncomment(piece->text, piece->size, dbm__ini_comments(entry->key));
            if (b.size && size) dbm__cfg_add(&b, " ", 1);
            dbm__cfg_add(&b, piece->text, size);
        }
        return dbm__cfg_text(&b);
    }
    for (;;) { /* to the closing quote, maybe lines below */
        if (i == size) {
            piece = piece->next;
            if (!piece) {
                dbm__cfg_bad(d->p, at, "the value begins with \" but has no \" at its end; a \" inside is written \"\"");
                return NULL;
            }
            text = piece->text;
            size = piece->size;
            i = 0;
            dbm__cfg_add(&b, " ", 1);
            continue;
        }
        if (text[i] == '"') {
            if (i + 1 == size || text[i + 1] != '"') break;
            i++;
        }
        dbm__cfg_add(&b, text + i, 1);
        i++;
    }
    text += i + 1;
    size = dbm__ini_trim(&text, size - i - 1);
    if ((size && *text != ';') || piece->next) {
        dbm__cfg_bad(d->p, at, "there is a text after the closing \"; a \" inside is written \"\"");
        return NULL;
    }
    return dbm__cfg_text(&b);
}

/* ---- overrides --------------------------------------------------------------------------------------------------- */

static void dbm__ini_upper(dbm__text *t, const char *text, bool key) {
    for (; *text; text++) {
        char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
        if (c == '.' && key) dbm__put(t, "_"); /* with the next: connect_args.x is CONNECT_ARGS__X */
        if (c == '-' || c == '.') c = '_';
        dbm__put_n(t, &c, 1);
    }
}

/* Looks for DBM__DATABASES__NAME__KEY and puts it into `given`. */
static void dbm__ini_override(dbm__ini *d, const dbm__ini_section *s, const char *key, dbm__cfg_given *given, size_t *count, size_t capacity) {
    char name[320], origin[340];
    dbm__text t = dbm__text_in(name, sizeof name);
    const char *value;
    size_t i;
    dbm__put(&t, "DBM__DATABASES__");
    dbm__ini_upper(&t, s->name, false);
    dbm__put(&t, "__");
    dbm__ini_upper(&t, key, true);
    value = t.cut ? NULL : dbm__cfg_env(name);
    if (!value || !*value) return;
    for (i = 0; i < *count && strcmp(given[i].key, key) != 0; i++) {}
    if (i == *count) {
        if (*count == capacity) return;
        ++*count;
    }
    dbm__format(origin, sizeof origin, "environment %s", name);
    given[i].key = key;
    given[i].value = dbm__cfg_copy(&d->memory, value, strlen(value));
    given[i].variables = false;
    given[i].at.file = dbm__cfg_copy(&d->memory, origin, strlen(origin));
    given[i].at.line = 0;
    given[i].at.section = s->title;
    given[i].at.key = key;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static bool dbm__ini_section_end(dbm__ini *d, const dbm__ini_section *s, const dbm__known_type *types, size_t type_count,
                                 bool use_env, const dbm__cfg_names *options, dbm__settings **out) {
    dbm__cfg_given *given;
    const dbm__ini_entry *entry;
    const char *key;
    dbm__cfg_at at;
    size_t i, count = 0, capacity = 64 + options->count;
    bool no_memory = false, partly = s->again;
    *out = NULL;
    for (entry = s->first; entry; entry = entry->next) capacity++;
    given = (dbm__cfg_given *)dbm__cfg_alloc(&d->memory, capacity * sizeof *given);
    if (!given) return false;
    at.file = d->file;
    at.section = s->title;
    /* the file's entries, without values yet: one that is overridden need not be right */
    for (entry = s->first; entry; entry = entry->next, count++) given[count].key = entry->key;
    if (use_env && !s->again) {
        size_t own = count;
        for (i = 0; (key = dbm__cfg_key(i)) != NULL; i++) dbm__ini_override(d, s, key, given, &count, capacity);
        for (i = 0; i < options->count; i++) dbm__ini_override(d, s, options->items[i], given, &count, capacity);
        for (i = 0; i < own; i++) {
            if (strncmp(given[i].key, "connect_args.", 13) == 0) dbm__ini_override(d, s, given[i].key, given, &count, capacity);
        }
    }
    for (i = 0, entry = s->first; entry; entry = entry->next) {
        if (given[i].value) {
            i++;
            continue;
        }
        at.line = entry->line;
        at.key = entry->key;
        given[i].at = at;
        given[i].variables = true;
        given[i].value = dbm__ini_value(d, entry, &at);
        if (given[i].value) {
            i++;
        } else { /* the rest moves up */
            if (strcmp(entry->key, "url") == 0 || strcmp(entry->key, "type") == 0) partly = true;
            count--;
            memmove(given + i, given + i + 1, (count - i) * sizeof *given);
        }
    }
    if (d->memory.failed) return false;
    at.line = s->line;
    at.key = NULL;
    dbm__cfg_build(d->memory.host, s->name, &at, given, count, types, type_count, partly, out, d->p, &no_memory);
    if (s->again) { /* only its mistakes were wanted */
        dbm__settings_free(d->memory.host, *out);
        *out = NULL;
    }
    return !no_memory;
}

static dbm_status dbm__ini_load(dbm__host *host, const char *file, const char *text, size_t size, const dbm__known_type *types,
                                size_t type_count, bool use_env, dbm__settings_list *out, dbm__problems *p) {
    dbm__ini d;
    dbm__cfg_names options;
    dbm__settings_list list;
    const dbm__ini_section *s;
    size_t i;
    int rc, before = p->count, before_compiled = p->not_compiled;
    bool ok;
    memset(&d, 0, sizeof d);
    memset(&options, 0, sizeof options);
    memset(&list, 0, sizeof list);
    d.memory.host = host;
    d.p = p;
    d.file = file;
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        size -= 3;
    }
    d.at = text;
    d.end = text + size;
    rc = ini_parse_stream(dbm__ini_read, &d, dbm__ini_take, &d);
    dbm__ini_settle(&d);
    ok = rc >= 0 && !d.memory.failed;
    if (ok && d.at < d.end) {
        dbm__problem(p, file, d.number + 1, NULL, NULL, "inih reads no further; this build of it stops early, or its INI_MAX_LINE is under 32");
    }
    options.memory = &d.memory;
    for (i = 0; i < type_count; i++) dbm__cfg_names_add(&options, types[i].options);
    if (d.sections && ok) {
        list.items = (dbm__settings **)dbm__alloc_zero(host, (d.count + 1) * sizeof *list.items);
        list.capacity = d.count + 1;
        ok = list.items != NULL;
    }
    for (s = d.sections; s && ok; s = s->next) {
        ok = dbm__ini_section_end(&d, s, types, type_count, use_env, &options, &list.items[list.count]);
        if (list.items[list.count]) list.count++;
    }
    ok = ok && !d.memory.failed;
    dbm__cfg_release(&d.memory);
    if (ok && p->count == before) {
        *out = list;
        return DBM_OK;
    }
    dbm__settings_list_free(host, &list);
    if (!ok) return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
    return p->count - before == p->not_compiled - before_compiled ? DBM_E_NOT_COMPILED : DBM_E_CONFIG;
}

#if DBM__STDIO
/* Reads a whole file. NULL after a problem or without memory; all copies of its text but the returned one are wiped. */
static char *dbm__ini_file(dbm__host *host, const char *path, size_t *out_size, dbm__problems *p, bool *no_memory) {
    FILE *f = fopen(path, "rb");
    size_t size = 0, capacity = 8192, n;
    char *text = NULL, *more;
    const char *why = NULL;
    if (!f) {
        dbm__problem(p, path, 0, NULL, NULL, "the file cannot be opened; is the path right, and may this program read it?");
        return NULL;
    }
    (void)setvbuf(f, NULL, _IONBF, 0); /* the stream would keep a copy of the passwords */
    text = (char *)dbm__alloc(host, capacity);
    while (text) {
        n = fread(text + size, 1, capacity - size, f);
        size += n;
        if (ferror(f)) why = "the file cannot be read";
        else if (size > DBM__INI_FILE_MAX) why = "the file is larger than 16 MiB, which no configuration is";
        if (why || !n) break;
        if (size < capacity) continue;
        more = (char *)dbm__alloc(host, capacity * 2);
        if (more) memcpy(more, text, size);
        dbm__wipe(text, size);
        dbm__free(host, text);
        text = more;
        capacity *= 2;
    }
    (void)fclose(f);
    if (!text) *no_memory = true;
    if (why) {
        dbm__problem(p, path, 0, NULL, NULL, "%s", why);
        dbm__wipe(text, size);
        dbm__free(host, text);
        return NULL;
    }
    *out_size = size;
    return text;
}
#endif
#endif /* DBM_HAS_INI */

DBM__FN dbm_status dbm__config_load(dbm__host *host, const char *path, const char *text, size_t size, const dbm__known_type *types, size_t type_count,
                                    bool use_env, dbm__settings_list *out, dbm__problems *p) {
    out->items = NULL;
    out->count = out->capacity = 0;
#if !DBM_HAS_INI
    (void)host;
    (void)text;
    (void)size;
    (void)types;
    (void)type_count;
    (void)use_env;
    p->not_compiled++;
    dbm__problem(p, path ? path : "text", 0, NULL, NULL, "reading INI is not compiled into this program: define DBM_WITH_INI where "
                 "DBM_IMPLEMENTATION is defined (link with -linih, package libinih-dev)");
    return DBM_E_NOT_COMPILED;
#else
    if (text) {
        return dbm__ini_load(host, path ? path : "text", text, size == SIZE_MAX ? strlen(text) : size, types, type_count, use_env, out, p);
    }
    if (!path || !*path) {
        dbm__problem(p, NULL, 0, NULL, NULL, "the path of the configuration file is missing");
        return DBM_E_CONFIG;
    }
#  if !DBM__STDIO
    dbm__problem(p, path, 0, NULL, NULL, "this program is built without files (DBM_NO_STDIO); load the text from memory (dbm_load_text)");
    return DBM_E_UNSUPPORTED;
#  else
    {
        bool no_memory = false;
        dbm_status rc;
        char *file = dbm__ini_file(host, path, &size, p, &no_memory);
        if (no_memory) return dbm__no_memory(DBM_STAGE_CONFIG, NULL, NULL);
        if (!file) return DBM_E_CONFIG;
        rc = dbm__ini_load(host, path, file, size, types, type_count, use_env, out, p);
        dbm__wipe(file, size);
        dbm__free(host, file);
        return rc;
    }
#  endif
#endif
}
