/* URLs and secrets: a URL becomes decoded parts and a mask; secrets are known by what they are and by where they stand.
 * May call: config.h's declarations, base/.
 * Must not know: INI, keys, drivers. No message here holds any part of a URL but its scheme. */
#include "config.h"

/* ---- secrets ----------------------------------------------------------------------------------------------------------
 * Those of the configuration never change, so they are read without a lock. Those that a credential callback brought come and
 * go: a token that changes every hour must not grow the list for ever, so the oldest gives way, under the lock. */
enum { DBM__SECRETS_LATE = 16, DBM__SECRET_SHORT = 3 };

typedef struct dbm__secret { struct dbm__secret *next; const char *text; size_t size; } dbm__secret;
struct dbm__secrets {
    dbm__secret *first;
    dbm__lock lock;
    struct { char *text; size_t size; } late[DBM__SECRETS_LATE];
    size_t turn;
};

DBM__FN bool dbm__cfg_secrets_init(dbm__host *host, dbm__settings *s) {
    s->secrets = (struct dbm__secrets *)dbm__alloc_zero(host, sizeof *s->secrets);
    if (!s->secrets) return false;
    if (dbm__lock_init(&s->secrets->lock)) return true;
    dbm__free(host, s->secrets);
    s->secrets = NULL;
    return false;
}

DBM__FN void dbm__cfg_secrets_free(dbm__host *host, dbm__settings *s) {
    size_t i;
    if (!s->secrets) return;
    for (i = 0; i < DBM__SECRETS_LATE; i++) {
        if (!s->secrets->late[i].text) continue;
        dbm__wipe(s->secrets->late[i].text, s->secrets->late[i].size);
        dbm__free(host, s->secrets->late[i].text);
    }
    dbm__lock_free(&s->secrets->lock);
    dbm__free(host, s->secrets);
    s->secrets = NULL;
}

DBM__FN void dbm__cfg_secret(dbm__settings *s, dbm__cfg_memory *m, const char *text, size_t size) {
    dbm__secret *secret;
    if (!size) return;
    secret = (dbm__secret *)dbm__cfg_alloc(m, sizeof *secret);
    if (!secret) return;
    secret->text = dbm__cfg_copy(m, text, size);
    if (!secret->text) return;
    secret->size = size;
    secret->next = s->secrets->first;
    s->secrets->first = secret;
}

DBM__FN dbm_status dbm__settings_add_secret(dbm__host *host, dbm__settings *settings, const char *secret) {
    struct dbm__secrets *all = settings->secrets;
    const dbm__secret *known;
    char *copy, *old = NULL;
    size_t i, size = secret ? strlen(secret) : 0, old_size = 0;
    if (!size) return DBM_OK;
    for (known = all->first; known; known = known->next) {
        if (known->size == size && memcmp(known->text, secret, size) == 0) return DBM_OK;
    }
    copy = dbm__copy_text(host, secret, size);
    if (!copy) return dbm__no_memory(DBM_STAGE_CONFIG, settings->config.name, NULL);
    dbm__lock_take(&all->lock);
    for (i = 0; i < DBM__SECRETS_LATE; i++) {
        if (all->late[i].text && all->late[i].size == size && memcmp(all->late[i].text, secret, size) == 0) break;
    }
    if (i < DBM__SECRETS_LATE) {
        old = copy;
        old_size = size;
    } else {
        i = all->turn++ % DBM__SECRETS_LATE;
        old = all->late[i].text;
        old_size = all->late[i].size;
        all->late[i].text = copy;
        all->late[i].size = size;
    }
    dbm__lock_give(&all->lock);
    if (old) dbm__wipe(old, old_size);
    dbm__free(host, old);
    return DBM_OK;
}

/* Whether the word ends in `tail`, as a word of its own when that is short: "sslpassword", "api-token", but not "bypass". */
static bool dbm__secret_tail(const char *name, size_t size, const char *tail) {
    size_t n = strlen(tail);
    char before;
    if (size < n || !dbm__same_word_n(name + size - n, n, tail)) return false;
    if (size == n || n > 4) return true;
    before = name[size - n - 1];
    return before == '_' || before == '-' || before == '.' ||
           (before >= 'a' && before <= 'z' && name[size - n] >= 'A' && name[size - n] <= 'Z');
}

DBM__FN bool dbm__cfg_secret_name(const char *name, size_t size) {
    static const char *const tails[] = {
        "password", "passwd", "pwd", "pass", "passphrase", "passcode", "secret", "token", "apikey", "api_key", "api-key",
        "accesskey", "access_key", "secretkey", "secret_key", "credential", "credentials", "authmechanismproperties"
    };
    size_t i;
    for (i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        if (dbm__secret_tail(name, size, tails[i])) return true;
    }
    return false;
}

/* ---- blanking ---------------------------------------------------------------------------------------------------- */

/* How many bytes at `at` are the secret: as it is, or with any of its bytes percent-encoded, doubled or behind a backslash. */
static size_t dbm__secret_at(const char *at, const char *secret, size_t size) {
    const char *c = at;
    size_t i;
    if (strncmp(at, secret, size) == 0) return size;
    for (i = 0; i < size && *c; i++) {
        char want = secret[i];
        int high = *c == '%' ? dbm__hex(c[1]) : -1, low = high >= 0 ? dbm__hex(c[2]) : -1;
        if (low >= 0 && (char)(unsigned char)(high * 16 + low) == want) c += 3;
        else if (*c == '\\' && want != '\\' && c[1] == want) c += 2;
        else if (*c == want) c += (want == '\'' || want == '"' || want == '\\') && c[1] == want ? 2 : 1;
        else if (*c == '+' && want == ' ') c++;
        else return 0;
    }
    return i == size ? (size_t)(c - at) : 0;
}

static size_t dbm__secret_longest(size_t best, const char *at, char before, const char *secret, size_t size) {
    size_t n = dbm__secret_at(at, secret, size);
    if (size < DBM__SECRET_SHORT && n && (before != ':' || at[n] != '@')) n = 0;
    return n > best ? n : best;
}

/* Writes up to three stars; returns where to go on. */
static char *dbm__secret_stars(char *to, size_t size) {
    size_t i, n = size < 3 ? size : 3;
    for (i = 0; i < n; i++) *to++ = '*';
    return to;
}

static void dbm__redact_known(struct dbm__secrets *all, char *text) {
    const char *from = text;
    char *to = text, before = 0;
    const dbm__secret *s;
    size_t i, n;
    while (*from) {
        n = 0;
        for (s = all->first; s; s = s->next) n = dbm__secret_longest(n, from, before, s->text, s->size);
        for (i = 0; i < DBM__SECRETS_LATE; i++) {
            if (all->late[i].text) n = dbm__secret_longest(n, from, before, all->late[i].text, all->late[i].size);
        }
        if (n) {
            before = from[n - 1];
            from += n;
            to = dbm__secret_stars(to, n);
        } else {
            before = *from;
            *to++ = *from++;
        }
    }
    *to = 0;
}

/* Takes size bytes out and puts stars there. Returns what follows them. */
static char *dbm__redact_cut(char *at, size_t size) {
    char *after = dbm__secret_stars(at, size);
    if (after != at + size) memmove(after, at + size, strlen(at + size) + 1);
    return after;
}

static bool dbm__url_ends(char c) { return !c || dbm__cfg_blank(c) || c == '"' || c == '\'' || c == '<' || c == '>'; }

/* scheme://user:HERE@ */
static void dbm__redact_urls(char *text) {
    char *at = text, *c, *colon, *last;
    while ((at = strstr(at, "://")) != NULL) {
        at += 3;
        colon = last = NULL;
        for (c = at; !dbm__url_ends(*c) && *c != '/' && *c != '?'; c++) {
            if (*c == ':' && !colon) colon = c;
            if (*c == '@') last = c;
        }
        if (colon && last && colon + 1 < last) at = dbm__redact_cut(colon + 1, (size_t)(last - colon - 1));
    }
}

static bool dbm__url_word(char c) {
    return c == '_' || c == '-' || c == '.' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The value of the next `password=value`, value quoted or up to a blank, & ; , or ). Variables are one piece when asked. */
static const char *dbm__secret_next(const char *text, bool variables, size_t *size) {
    const char *c, *end, *word, *value;
    for (c = strchr(text, '='); c; c = strchr(c + 1, '=')) {
        for (end = c; end > text && (end[-1] == ' ' || end[-1] == '"' || end[-1] == '\''); end--) {}
        for (word = end; word > text && dbm__url_word(word[-1]); word--) {}
        if (word == end || !dbm__cfg_secret_name(word, (size_t)(end - word))) continue;
        for (value = c + 1; *value == ' '; value++) {}
        if (*value == '\'' || *value == '"') {
            char quote = *value++;
            for (end = value; *end && *end != quote; end++) {
                if (*end == '\\' && end[1]) end++;
            }
        } else {
            const char *stop = value + strlen(value);
            for (end = value; *end && !dbm__cfg_blank(*end) && !strchr("&;,)\"'", *end); end = dbm__cfg_next(end, stop, variables)) {}
        }
        if (end == value) continue;
        *size = (size_t)(end - value);
        return value;
    }
    return NULL;
}

DBM__FN void dbm__redact(const dbm__settings *settings, char *text) {
    const char *value;
    char *at = text;
    size_t size;
    if (!text) return;
    if (settings && settings->secrets) {
        dbm__lock_take(&settings->secrets->lock);
        dbm__redact_known(settings->secrets, text);
        dbm__lock_give(&settings->secrets->lock);
    }
    while ((value = dbm__secret_next(at, false, &size)) != NULL) at = dbm__redact_cut(at + (value - at), size);
    dbm__redact_urls(text);
}

/* ---- types and schemes ------------------------------------------------------------------------------------------- */

static bool dbm__type_has(const dbm__known_type *type, const char *word, size_t size) {
    const char *list = type->schemes, *item;
    char scheme[65];
    size_t n;
    if (dbm__same_word_n(word, size, type->type)) return true;
    while ((item = dbm__list_next(&list, &n)) != NULL) {
        if (n != size || n >= sizeof scheme) continue;
        memcpy(scheme, item, n);
        scheme[n] = 0;
        if (dbm__same_word_n(word, size, scheme)) return true;
    }
    return false;
}

DBM__FN const dbm__known_type *dbm__cfg_type(const dbm__known_type *types, size_t count, const char *word, size_t size) {
    size_t i;
    for (i = 0; size && i < count; i++) {
        if (dbm__same_word_n(word, size, types[i].type)) return types + i;
    }
    for (i = 0; size && i < count; i++) {
        if (dbm__type_has(types + i, word, size)) return types + i;
    }
    return NULL;
}

DBM__FN void dbm__cfg_type_names(dbm__cfg_memory *m, const dbm__known_type *types, size_t count, const char *word, dbm__cfg_types *out) {
    dbm__text list = dbm__text_in(out->known, sizeof out->known);
    dbm__cfg_names names;
    size_t i;
    memset(&names, 0, sizeof names);
    names.memory = m;
    for (i = 0; i < count; i++) {
        dbm__putf(&list, i ? ", %s" : "%s", types[i].type);
        dbm__cfg_names_add(&names, types[i].type);
        dbm__cfg_names_add(&names, types[i].schemes);
    }
    dbm__text_end(&list);
    dbm__cfg_suggest(&names, word, out->hint, sizeof out->hint);
}

/* ---- URLs -------------------------------------------------------------------------------------------------------- */

/* One part of the text as written, NULL: not there. */
typedef struct dbm__url_part { const char *text; size_t size; } dbm__url_part;

static dbm__url_part dbm__url_slice(const char *from, const char *to) {
    dbm__url_part part;
    part.text = from;
    part.size = (size_t)(to - from);
    return part;
}

/* The first, or last, character of the text outside variables that is one of `set`; end when there is none. */
static const char *dbm__url_find(const char *c, const char *end, const char *set, bool last, bool variables) {
    const char *found = end;
    while (c < end) {
        const char *next = dbm__cfg_next(c, end, variables);
        if (next == c + 1 && *c && strchr(set, *c)) {
            found = c;
            if (!last) break;
        }
        c = next;
    }
    return found;
}

static const char *dbm__url_separator(const char *c, const char *end, bool variables) {
    for (; c < end; c = dbm__cfg_next(c, end, variables)) {
        if (end - c >= 3 && c[0] == ':' && c[1] == '/' && c[2] == '/') return c;
    }
    return NULL;
}

static const char *dbm__url_expand(const dbm__cfg_url_job *job, dbm__url_part part, unsigned how, const char *name) {
    const char *c, *end = part.text + part.size;
    bool blanks = strcmp(name, "password") == 0; /* a password may be written as it is, where that can't be misread */
    for (c = part.text; c < end; c = dbm__cfg_next(c, end, job->variables)) {
        if (*c == ' ' && !blanks) {
            dbm__cfg_bad(job->problems, job->at, "the URL has a blank in its %s; a blank is written %%20", name);
            return NULL;
        }
    }
    if (job->variables) how |= DBM__CFG_VARIABLES;
    return dbm__cfg_expand(job->keep, part.text, part.size, how, job->problems, job->at, name);
}

static bool dbm__url_bad_host(const dbm__cfg_url_job *job, const char *why) {
    return dbm__cfg_bad(job->problems, job->at, "the URL's host list is wrong: %s. Expected host, host:port or [IPv6]:port, several with commas "
                        "between; @ : / ? # %% in a password are written %%40 %%3A %%2F %%3F %%23 %%25, or the password comes from ${NAME}", why);
}

/* One host of the list, from c to end. */
static bool dbm__url_host(const dbm__cfg_url_job *job, const char *c, const char *end) {
    const char *at, *port = NULL;
    int number = 0;
    if (c == end) return dbm__url_bad_host(job, "one is empty");
    if (*c == '[') {
        at = (const char *)memchr(c, ']', (size_t)(end - c));
        if (!at || at == c + 1) return dbm__url_bad_host(job, "a [ has no ] or nothing in it");
        for (c++; c < at; c++) {
            if (*c == '[') return dbm__url_bad_host(job, "a [ is inside of a [ ]");
        }
        c++;
        if (c < end && *c != ':') return dbm__url_bad_host(job, "something other than a port follows a ]");
        if (c < end) port = c + 1;
    } else {
        for (at = c; at < end && *at != ':'; at++) {
            if (strchr("[]\"<>\\^`{|}", *at)) return dbm__url_bad_host(job, "it has a character that no host has");
            if (*at == '%' && (end - at < 3 || dbm__hex(at[1]) < 0 || dbm__hex(at[2]) < 0)) {
                return dbm__url_bad_host(job, "a % is not followed by two hexadecimal digits");
            }
            if (*at == '%' && at[1] == '0' && at[2] == '0') return dbm__url_bad_host(job, "%00 is not allowed");
        }
        if (at < end) port = at + 1;
        if (port && memchr(port, ':', (size_t)(end - port))) return dbm__url_bad_host(job, "there are several colons; an IPv6 address is written in [ ]");
    }
    if (!port) return true;
    if (port == end || end - port > 5) return dbm__url_bad_host(job, "a port is not a number from 1 to 65535");
    for (; port < end; port++) {
        if (*port < '0' || *port > '9') return dbm__url_bad_host(job, "a port is not a number from 1 to 65535");
        number = number * 10 + (*port - '0');
    }
    if (number < 1 || number > 65535) return dbm__url_bad_host(job, "a port is not a number from 1 to 65535");
    return true;
}

static bool dbm__url_hosts(const dbm__cfg_url_job *job, const char *hosts) {
    const char *c = hosts, *end;
    if (!*hosts) return true;
    for (; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7F) return dbm__url_bad_host(job, "it has a blank or control character");
    }
    for (c = hosts;; c = end + 1) {
        for (end = c; *end && *end != ','; end++) {}
        if (!dbm__url_host(job, c, end)) return false;
        if (!*end) return true;
    }
}

/* Splits and decodes the query. Parameters whose names say so are secrets. */
static bool dbm__url_query(const dbm__cfg_url_job *job, const char *c, const char *end) {
    dbm_option *list = NULL;
    size_t count = 0, capacity = 0;
    while (c < end) {
        const char *stop = dbm__url_find(c, end, "&", false, job->variables),
                   *equal = dbm__url_find(c, stop, "=", false, job->variables);
        dbm_option one;
        char name[48];
        if (stop == c) {
            c++;
            continue;
        }
        dbm__format(name, sizeof name, "parameter %z", count + 1);
        one.name = dbm__url_expand(job, dbm__url_slice(c, equal), DBM__CFG_DECODE, name);
        if (!one.name) return false;
        if (!*one.name) return dbm__cfg_bad(job->problems, job->at, "the URL's %s has no name", name);
        one.value = equal < stop ? dbm__url_expand(job, dbm__url_slice(equal + 1, stop), DBM__CFG_DECODE, name) : "";
        if (!one.value) return false;
        if (dbm__cfg_secret_name(one.name, strlen(one.name))) dbm__cfg_secret(job->settings, job->keep, one.value, strlen(one.value));
        list = (dbm_option *)dbm__cfg_room(job->keep, list, count, &capacity, sizeof *list);
        if (!list) return false;
        list[count++] = one;
        c = stop < end ? stop + 1 : end;
    }
    job->settings->url.parameters = list;
    job->settings->url.parameter_count = count;
    return true;
}

/* ---- the mask ---------------------------------------------------------------------------------------------------- */

static void dbm__url_put(dbm__cfg_buffer *b, const char *text, const char *plain) {
    char code[3];
    for (; *text; text++) dbm__cfg_add(b, code, dbm__percent(*text, plain, code));
}

static void dbm__url_say(dbm__cfg_buffer *b, const char *text) { dbm__cfg_add(b, text, strlen(text)); }

static void dbm__url_mask(const dbm__cfg_url_job *job, const char *authority) {
    const dbm_url *url = &job->settings->url;
    dbm__cfg_buffer b;
    size_t i;
    memset(&b, 0, sizeof b);
    b.memory = job->keep;
    dbm__url_say(&b, url->scheme);
    if (*url->driver) {
        dbm__url_say(&b, "+");
        dbm__url_say(&b, url->driver);
    }
    dbm__url_say(&b, authority);
    dbm__url_put(&b, url->user, "-._~!$'()*+,;");
    if (*url->password) dbm__url_say(&b, ":***");
    if (*url->user || *url->password) dbm__url_say(&b, "@");
    dbm__url_say(&b, url->hosts);
    if (*url->path) {
        if (authority[1]) dbm__url_say(&b, "/"); /* not after "scheme:" alone */
        dbm__url_put(&b, url->path, "-._~!$'()*+,;:/@&=");
    }
    for (i = 0; i < url->parameter_count; i++) {
        const dbm_option *one = url->parameters + i;
        dbm__url_say(&b, i ? "&" : "?");
        dbm__url_put(&b, one->name, "-._~!$'()*,;:/@");
        if (!*one->value) continue;
        dbm__url_say(&b, "=");
        if (dbm__cfg_secret_name(one->name, strlen(one->name))) dbm__url_say(&b, "***");
        else dbm__url_put(&b, one->value, "-._~!$'()*,;:/@");
    }
    job->settings->config.url = dbm__cfg_text(&b);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A text that is no URL: a driver's own DSN. All of it is `path`; its passwords are found by where they stand. */
static bool dbm__url_dsn(const dbm__cfg_url_job *job, const char *written, const char *text, bool expanded) {
    const char *at = written, *value, *colon, *last;
    char *mask;
    size_t size;
    while (expanded && (value = dbm__secret_next(at, true, &size)) != NULL) {
        const char *secret = dbm__cfg_expand(job->scratch, value, size, DBM__CFG_VARIABLES, job->problems, job->at, NULL);
        if (!secret) return false;
        dbm__cfg_secret(job->settings, job->keep, secret, strlen(secret));
        at = value + size;
    }
    for (at = text; (value = dbm__secret_next(at, false, &size)) != NULL; at = value + size) dbm__cfg_secret(job->settings, job->keep, value, size);
    colon = strchr(text, ':');
    last = strrchr(text, '@');
    if (colon && last && colon < last) dbm__cfg_secret(job->settings, job->keep, colon + 1, (size_t)(last - colon - 1));
    job->settings->url.path = dbm__cfg_copy(job->keep, text, strlen(text));
    mask = dbm__cfg_copy(job->keep, text, strlen(text));
    if (!job->settings->url.path || !mask) return false;
    dbm__redact(job->settings, mask);
    job->settings->config.url = mask;
    return true;
}

/* Splits the scheme from its driver and finds the type. */
static bool dbm__url_scheme(dbm__cfg_url_job *job, const char *text, const char *end) {
    dbm_url *url = &job->settings->url;
    const char *expanded = dbm__url_expand(job, dbm__url_slice(text, end), 0, "scheme"), *plus;
    const dbm__known_type *found = NULL;
    dbm__cfg_types names;
    char *scheme, *c;
    size_t size, i;
    bool ok;
    if (!expanded) return false;
    size = strlen(expanded);
    scheme = dbm__cfg_copy(job->keep, expanded, size);
    if (!scheme) return false;
    ok = size > 0 && size <= 64;
    for (c = scheme; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
        ok = ok && ((*c >= 'a' && *c <= 'z') || (c > scheme && ((*c >= '0' && *c <= '9') || strchr("+-._", *c))));
    }
    if (!ok) return dbm__cfg_bad(job->problems, job->at, "a URL begins with its scheme, as in postgresql://user:password@host/name or sqlite:///file.db");
    /* "mongodb+srv" may be a scheme by itself */
    plus = strchr(scheme, '+');
    for (i = 0; !found && i < 2; i++) {
        if (i && !plus) break;
        if (i) size = (size_t)(plus - scheme);
        if (job->type && dbm__type_has(job->type, scheme, size)) found = job->type;
        else found = dbm__cfg_type(job->types, job->type_count, scheme, size);
    }
    if (scheme[size] == '+') scheme[size++] = 0;
    else size = strlen(scheme);
    url->scheme = scheme;
    url->driver = scheme + size;
    if (!found) {
        dbm__cfg_type_names(job->scratch, job->types, job->type_count, scheme, &names);
        if (job->variables && memchr(text, '$', (size_t)(end - text))) { /* what the variable holds may be anything */
            return dbm__cfg_bad(job->problems, job->at, "the URL's scheme, made of a variable, is unknown (known types: %s)", names.known);
        }
        return dbm__cfg_bad(job->problems, job->at, "the URL's scheme %q is unknown%s (known types: %s)", scheme, names.hint, names.known);
    }
    if (job->type_failed) return true;
    if (job->type && job->type != found) {
        return dbm__cfg_bad(job->problems, job->at, "the URL's scheme %q is one of type %s, but type says %s; leave type out, or write %s://", scheme,
                            found->type, job->type->type, job->type->type);
    }
    job->type = found;
    return true;
}

/* sqlite: user, password and host make no sense, and what follows :/// is a file's path, relative or absolute. */
static bool dbm__url_sqlite(const dbm__cfg_url_job *job, const char *c, const char *end, bool authority) {
    const char *query = dbm__url_find(c, end, "?", false, job->variables);
    if (authority) {
        if (c < query && *c != '/') {
            return dbm__cfg_bad(job->problems, job->at,
                         "an SQLite URL has no host: sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:///:memory:");
        }
        if (c < query) c++;
    }
    job->settings->url.path = dbm__url_expand(job, dbm__url_slice(c, query), DBM__CFG_DECODE, "path");
    if (!job->settings->url.path) return false;
    if (!*job->settings->url.path) job->settings->url.path = ":memory:";
    return dbm__url_query(job, query < end ? query + 1 : end, end);
}

static bool dbm__url_network(const dbm__cfg_url_job *job, const char *c, const char *end) {
    dbm_url *url = &job->settings->url;
    const char *stop = dbm__url_find(c, end, "/?", false, job->variables), *at, *colon, *query;
    dbm__url_part password;
    at = dbm__url_find(c, stop, "@", true, job->variables);
    if (at < stop) {
        colon = dbm__url_find(c, at, ":", false, job->variables);
        if (colon < at) {
            password = dbm__url_slice(colon + 1, at);
            if (dbm__url_find(colon + 1, at, "$", false, false) == at) { /* as written too, for where the whole URL is quoted */
                dbm__cfg_secret(job->settings, job->keep, password.text, password.size);
            }
            url->password = dbm__url_expand(job, password, DBM__CFG_DECODE, "password");
            if (!url->password) return false;
            dbm__cfg_secret(job->settings, job->keep, url->password, strlen(url->password));
        }
        url->user = dbm__url_expand(job, dbm__url_slice(c, colon), DBM__CFG_DECODE, "user");
        if (!url->user) return false;
        c = at + 1;
    }
    query = dbm__url_find(stop, end, "?", false, job->variables);
    if (dbm__url_find(stop, end, "@", false, job->variables) < end) {
        return dbm__cfg_bad(job->problems, job->at, "the URL has an @ after its host; there it is written %%40, and @ : / ? # %% in a password %%40 "
                            "%%3A %%2F %%3F %%23 %%25, or the password comes from ${NAME}");
    }
    url->hosts = dbm__url_expand(job, dbm__url_slice(c, stop), DBM__CFG_HOSTS, "host list");
    if (!url->hosts || !dbm__url_hosts(job, url->hosts)) return false;
    if (stop < query) { /* what follows the slash */
        url->path = dbm__url_expand(job, dbm__url_slice(stop + 1, query), DBM__CFG_DECODE, "path");
        if (!url->path) return false;
    }
    return dbm__url_query(job, query < end ? query + 1 : end, end);
}

DBM__FN bool dbm__cfg_url(dbm__cfg_url_job *job, const char *text) {
    const char *written = text, *c, *end = text + strlen(text), *separator = dbm__url_separator(text, end, job->variables);
    const char *authority = "://";
    bool expanded = false;
    if (!separator && job->variables) { /* the variable may hold all of it */
        text = dbm__cfg_expand(job->scratch, text, (size_t)(end - text), DBM__CFG_VARIABLES, job->problems, job->at, NULL);
        if (!text) return false;
        job->variables = false;
        expanded = true;
        end = text + strlen(text);
        separator = dbm__url_separator(text, end, false);
    }
    if (text == end) return dbm__cfg_bad(job->problems, job->at, "the URL is empty");
    for (c = text; c < end; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7F) return dbm__cfg_bad(job->problems, job->at, "the URL has a control character (a tab, perhaps)");
    }
    if (!separator) {
        c = dbm__url_find(text, end, ":", false, job->variables);
        if (c < end && !job->type_failed) { /* file:app.db?mode=ro */
            const dbm__known_type *type = job->type && dbm__type_has(job->type, text, (size_t)(c - text)) ? job->type
                                          : dbm__cfg_type(job->types, job->type_count, text, (size_t)(c - text));
            if (type && strcmp(type->type, "sqlite") == 0 && !dbm__same_word_n(text, (size_t)(c - text), "sqlite")) {
                separator = c;
                authority = ":";
            }
        }
        if (!separator && job->type && strcmp(job->type->type, "sqlite") != 0) return dbm__url_dsn(job, written, text, expanded);
        if (!separator) {
            return dbm__cfg_bad(job->problems, job->at, job->type ? "expected sqlite:///relative.db, sqlite:////absolute/path.db or sqlite:///:memory:"
                                                                  : "expected a URL such as sqlite:///file.db or postgresql://user:password@host/name");
        }
    }
    if (!dbm__url_scheme(job, text, separator)) return false;
    c = separator + strlen(authority);
    if (job->type && strcmp(job->type->type, "sqlite") == 0) {
        if (!dbm__url_sqlite(job, c, end, authority[1] != 0)) return false;
    } else if (!dbm__url_network(job, c, end)) {
        return false;
    }
    dbm__url_mask(job, authority);
    return !job->keep->failed;
}

DBM__FN int dbm__url_names(const char *hosts) {
    int names = 0;
    while (*hosts != 0) {
        size_t size = strcspn(hosts, ",:"), i = 0;
        if (hosts[0] != '[' && hosts[0] != '/' && !dbm__same_word_n(hosts, size < 3 ? size : 3, "%2f") && !dbm__same_word_n(hosts, size, "localhost")) {
            while (i < size && ((hosts[i] >= '0' && hosts[i] <= '9') || hosts[i] == '.')) i++;
            if (i < size) names++;
        }
        hosts += strcspn(hosts, ",");
        if (*hosts == ',') hosts++;
    }
    return names;
}
