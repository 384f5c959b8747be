/* The known keys: what each may hold, what it is when it is not set, how they fit together. Makes a dbm__settings of what a
 * section or a struct gave.
 * May call: config.h's declarations, base/.
 * Must not know: files, INI, what an adapter does with its own keys. */
#include "config.h"

/* ---- the table -----------------------------------------------------------------------------------------------------------
 * `zero` and `minus` are what 0 and -1 in a file become in the struct, where 0 is the default and -1 none; NO: an error. */
typedef enum dbm__setting_id {
    DBM__SET_TYPE, DBM__SET_URL, DBM__SET_POOL_SIZE, DBM__SET_MAX_OVERFLOW, DBM__SET_MAX_CONNECTIONS, DBM__SET_POOL_TIMEOUT,
    DBM__SET_POOL_RECYCLE, DBM__SET_PRE_PING, DBM__SET_RESET, DBM__SET_MIN_IDLE, DBM__SET_IDLE_TIMEOUT, DBM__SET_ISOLATION,
    DBM__SET_CONNECT_TIMEOUT, DBM__SET_STATEMENT_TIMEOUT, DBM__SET_SOCKET_TIMEOUT, DBM__SET_TCP_KEEPALIVE,
    DBM__SET_TCP_USER_TIMEOUT, DBM__SET_STATEMENT_CACHE, DBM__SET_LEAK_WARNING, DBM__SET_ECHO, DBM__SET_TLS, DBM__SET_TLS_CA,
    DBM__SET_TLS_CERT, DBM__SET_TLS_KEY, DBM__SET_INIT_SQL, DBM__SET_ROW_BUFFER, DBM__SET_COUNT
} dbm__setting_id;
typedef enum dbm__setting_kind { DBM__SET_TEXT, DBM__SET_INT, DBM__SET_TIME, DBM__SET_WORD, DBM__SET_SIZE } dbm__setting_kind;

enum { DBM__SET_LIMIT = 1000, DBM__SET_NO = INT_MIN };

typedef struct dbm__setting {
    const char *key, *field;  /* in a file, in the struct */
    dbm__setting_kind kind;
    size_t offset;            /* of its int or text in dbm_config; 0: none */
    int min, max, standard;   /* in force */
    int zero, minus;
    bool none;                /* -1 in the struct is allowed and is 0 in force */
} dbm__setting;

#define DBM__SET_N(field) #field, DBM__SET_INT, offsetof(dbm_config, field)
#define DBM__SET_MS(field) #field, DBM__SET_TIME, offsetof(dbm_config, field)
#define DBM__SET_S(field) #field, DBM__SET_TEXT, offsetof(dbm_config, field), 0, 0, 0, 0, 0, false
#define DBM__SET_X(field, kind) #field, kind, 0, 0, 0, 0, 0, 0, false
static const dbm__setting dbm__setting_table[DBM__SET_COUNT] = {
    { "type", DBM__SET_S(type) },
    { "url", DBM__SET_S(url) },
    { "pool_size",         DBM__SET_N(pool.size),            1, DBM__SET_LIMIT, 5,       DBM__SET_NO, DBM__SET_NO, false },
    { "max_overflow",      DBM__SET_N(pool.max_overflow),    0, DBM__SET_LIMIT, 10,      -1,          DBM__SET_NO, true },
    { "max_connections", "max_connections", DBM__SET_INT, 0, 1, DBM__SET_LIMIT, 0,       DBM__SET_NO, DBM__SET_NO, false },
    { "pool_timeout",      DBM__SET_MS(pool.timeout_ms),     0, INT_MAX,        30000,   -1,          DBM__SET_NO, true },
    { "pool_recycle",      DBM__SET_MS(pool.recycle_ms),     1, INT_MAX,        1800000, 1,           -1,          true },
    { "pool_pre_ping", DBM__SET_X(pool.pre_ping, DBM__SET_WORD) },
    { "pool_reset_on_return", DBM__SET_X(pool.reset_on_return, DBM__SET_WORD) },
    { "min_idle",          DBM__SET_N(pool.min_idle),        0, DBM__SET_LIMIT, 0,       0,           DBM__SET_NO, false },
    { "idle_timeout",      DBM__SET_MS(pool.idle_timeout_ms), 1, INT_MAX,       600000,  1,           -1,          true },
    { "isolation_level", DBM__SET_X(isolation, DBM__SET_WORD) },
    { "connect_timeout",   DBM__SET_MS(connect_timeout_ms),  1, INT_MAX,        5000,    DBM__SET_NO, DBM__SET_NO, false },
    { "statement_timeout", DBM__SET_MS(statement_timeout_ms), 1, INT_MAX,       0,       -1,          -1,          true },
    { "socket_timeout",    DBM__SET_MS(socket_timeout_ms),   1, INT_MAX,        0,       -1,          -1,          true },
    { "tcp_keepalive",     DBM__SET_MS(tcp_keepalive_ms),    1, INT_MAX,        60000,   -1,          -1,          true },
    { "tcp_user_timeout",  DBM__SET_MS(tcp_user_timeout_ms), 1, INT_MAX,        30000,   -1,          -1,          true },
    { "statement_cache",   DBM__SET_N(statement_cache),      0, 4096,           64,      -1,          DBM__SET_NO, true },
    { "leak_warning",      DBM__SET_MS(leak_warning_ms),     1, INT_MAX,        0,       -1,          -1,          true },
    { "echo", DBM__SET_X(echo, DBM__SET_WORD) },
    { "tls", DBM__SET_X(tls, DBM__SET_WORD) },
    { "tls_ca", DBM__SET_S(tls_ca) },
    { "tls_cert", DBM__SET_S(tls_cert) },
    { "tls_key", DBM__SET_S(tls_key) },
    { "init_sql", DBM__SET_S(init_sql) },
    { "row_buffer", DBM__SET_X(row_buffer, DBM__SET_SIZE) }
};
#undef DBM__SET_N
#undef DBM__SET_MS
#undef DBM__SET_S
#undef DBM__SET_X

/* The words of a key; those after the listed ones are understood, but not proposed. */
typedef struct dbm__setting_word { const char *word; int value; } dbm__setting_word;
static const dbm__setting_word dbm__setting_words_pre_ping[] = {
    { "true", DBM_PRE_PING_DEFAULT }, { "always", DBM_PRE_PING_ALWAYS }, { "false", DBM_PRE_PING_OFF },
    { "yes", DBM_PRE_PING_DEFAULT }, { "on", DBM_PRE_PING_DEFAULT }, { "1", DBM_PRE_PING_DEFAULT },
    { "no", DBM_PRE_PING_OFF }, { "off", DBM_PRE_PING_OFF }, { "0", DBM_PRE_PING_OFF }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_reset[] = {
    { "rollback", DBM_RESET_DEFAULT }, { "commit", DBM_RESET_COMMIT }, { "none", DBM_RESET_NONE }, { "full", DBM_RESET_FULL },
    { "true", DBM_RESET_DEFAULT }, { "false", DBM_RESET_NONE }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_isolation[] = {
    { "READ UNCOMMITTED", DBM_READ_UNCOMMITTED }, { "READ COMMITTED", DBM_READ_COMMITTED },
    { "REPEATABLE READ", DBM_REPEATABLE_READ }, { "SERIALIZABLE", DBM_SERIALIZABLE },
    { "AUTOCOMMIT", DBM_AUTOCOMMIT }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_echo[] = {
    { "false", DBM_ECHO_OFF }, { "true", DBM_ECHO_STATEMENTS }, { "values", DBM_ECHO_VALUES }, { "no", DBM_ECHO_OFF },
    { "off", DBM_ECHO_OFF }, { "0", DBM_ECHO_OFF }, { "yes", DBM_ECHO_STATEMENTS }, { "on", DBM_ECHO_STATEMENTS },
    { "1", DBM_ECHO_STATEMENTS }, { NULL, 0 }
};
static const dbm__setting_word dbm__setting_words_tls[] = {
    { "off", DBM_TLS_OFF }, { "prefer", DBM_TLS_PREFER }, { "require", DBM_TLS_REQUIRE }, { "verify-ca", DBM_TLS_VERIFY_CA },
    { "verify-full", DBM_TLS_VERIFY_FULL }, { NULL, 0 }
};
/* How drivers say it in a URL: libpq, and MySQL's ssl-mode. */
static const dbm__setting_word dbm__setting_words_sslmode[] = {
    { "disable", DBM_TLS_OFF }, { "disabled", DBM_TLS_OFF }, { "prefer", DBM_TLS_PREFER }, { "preferred", DBM_TLS_PREFER },
    { "require", DBM_TLS_REQUIRE }, { "required", DBM_TLS_REQUIRE }, { "verify-ca", DBM_TLS_VERIFY_CA },
    { "verify-full", DBM_TLS_VERIFY_FULL }, { "verify-identity", DBM_TLS_VERIFY_FULL }, { NULL, 0 }
};

static const dbm__setting_word *dbm__setting_words(dbm__setting_id id, int *listed) {
    switch ((int)id) {
    case DBM__SET_PRE_PING: *listed = 3; return dbm__setting_words_pre_ping;
    case DBM__SET_RESET: *listed = 4; return dbm__setting_words_reset;
    case DBM__SET_ISOLATION: *listed = 5; return dbm__setting_words_isolation;
    case DBM__SET_ECHO: *listed = 3; return dbm__setting_words_echo;
    case DBM__SET_TLS: *listed = 5; return dbm__setting_words_tls;
    default: *listed = 0; return NULL;
    }
}

DBM__FN const char *dbm__cfg_key(size_t i) { return i < DBM__SET_COUNT ? dbm__setting_table[i].key : NULL; }

static int dbm__setting_find(const char *key, size_t size) {
    int i;
    for (i = 0; i < DBM__SET_COUNT; i++) {
        if (strlen(dbm__setting_table[i].key) == size && memcmp(dbm__setting_table[i].key, key, size) == 0) return i;
    }
    return -1;
}

DBM__FN bool dbm__cfg_known_key(const char *key, size_t size) { return dbm__setting_find(key, size) >= 0; }

DBM__FN bool dbm__cfg_name_ok(const char *name) {
    size_t i;
    for (i = 0; name[i]; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return false;
    }
    return i > 0 && i < sizeof ((dbm_error_info *)NULL)->database;
}

/* ---- settings on their way --------------------------------------------------------------------------------------- */

typedef struct dbm__draft {
    dbm__cfg_memory keep, scratch;
    dbm__problems *p;
    dbm__settings *s;
    const dbm__known_type *types, *type;
    size_t type_count;
    bool type_failed, partly, in_code;
    bool set[DBM__SET_COUNT];           /* given, right or wrong */
    bool wrong[DBM__SET_COUNT];
    dbm__cfg_at at[DBM__SET_COUNT];     /* of what was given, else of the section */
    dbm__cfg_at section;
    dbm_option *options;
    size_t option_count;
} dbm__draft;

static bool dbm__draft_begin(dbm__draft *d, dbm__host *host, const dbm__known_type *types, size_t type_count, const dbm__cfg_at *at, dbm__problems *p) {
    int i;
    memset(d, 0, sizeof *d);
    d->keep.host = d->scratch.host = host;
    d->types = types;
    d->type_count = type_count;
    d->section = *at;
    d->p = p;
    for (i = 0; i < DBM__SET_COUNT; i++) d->at[i] = *at;
    d->s = (dbm__settings *)dbm__alloc_zero(host, sizeof *d->s);
    return d->s && dbm__cfg_secrets_init(host, d->s);
}

/* Hands the settings out, or frees them when there was a problem or no memory. */
static void dbm__draft_end(dbm__draft *d, dbm__host *host, bool ok, dbm__settings **out, bool *no_memory) {
    if (d->keep.failed || d->scratch.failed || !d->s || !d->s->secrets) {
        *no_memory = true;
        ok = false;
    }
    if (d->s) d->s->owned = d->keep.blocks;
    dbm__cfg_release(&d->scratch);
    if (ok) *out = d->s;
    else dbm__settings_free(host, d->s);
}

DBM__FN void dbm__settings_free(dbm__host *host, dbm__settings *settings) {
    dbm__cfg_memory memory;
    if (!settings) return;
    memory.host = host;
    memory.blocks = (dbm__cfg_block *)settings->owned;
    memory.failed = false;
    dbm__cfg_secrets_free(host, settings);
    dbm__cfg_release(&memory);
    dbm__free(host, settings);
}

DBM__FN void dbm__settings_list_free(dbm__host *host, dbm__settings_list *list) {
    size_t i;
    for (i = 0; i < list->count; i++) dbm__settings_free(host, list->items[i]);
    dbm__free(host, list->items);
    list->items = NULL;
    list->count = list->capacity = 0;
}

DBM__FN const char *dbm__settings_option(const dbm__settings *settings, const char *key) {
    const dbm_config *c = &settings->config;
    size_t i;
    for (i = 0; i < c->option_count; i++) {
        if (strcmp(c->options[i].name, key) == 0) return c->options[i].value;
    }
    for (i = 0; i < c->option_count; i++) {
        if (strncmp(c->options[i].name, "connect_args.", 13) == 0 && strcmp(c->options[i].name + 13, key) == 0) return c->options[i].value;
    }
    for (i = settings->url.parameter_count; i-- > 0;) {
        if (strcmp(settings->url.parameters[i].name, key) == 0) return settings->url.parameters[i].value;
    }
    return NULL;
}

/* ---- one value --------------------------------------------------------------------------------------------------- */

/* What a message may show of a value: as it was written, so that what a variable holds stays unseen, and nothing of a URL that
 * came to the wrong key. */
typedef struct dbm__shown { char text[96]; } dbm__shown;

static const char *dbm__draft_value(char *block, size_t capacity, const char *written) {
    const char *url = strstr(written, "://");
    size_t i;
    dbm__text t = dbm__text_in(block, capacity);
    dbm__put_n(&t, written, url ? (size_t)(url - written) : strlen(written));
    if (url) dbm__put(&t, "://...");
    dbm__text_end(&t);
    for (i = 0; block[i]; i++) {
        if ((unsigned char)block[i] < ' ' || block[i] == 0x7F) block[i] = '?';
    }
    dbm__redact(NULL, block);
    return block;
}

static const char *dbm__draft_show(dbm__shown *shown, const char *written, bool variables) {
    dbm__text t = dbm__text_in(shown->text, sizeof shown->text);
    char value[60];
    const char *comment = variables ? strpbrk(written, ";#") : NULL;
    bool variable = variables && strstr(written, "${");
    dbm__putf(&t, variable ? "not what %q holds" : "not %q", dbm__draft_value(value, sizeof value, written));
    if (!variable && comment && comment > written) dbm__put(&t, *comment == '#' ? " (a comment begins with ;)" : " (a blank goes before ;)");
    return shown->text;
}

/* Says which words a key may have. */
static void dbm__draft_word_list(const dbm__setting_word *words, int listed, char *block, size_t capacity) {
    dbm__text t = dbm__text_in(block, capacity);
    int i;
    for (i = 0; i < listed; i++) dbm__putf(&t, i == 0 ? "%s" : i + 1 < listed ? ", %s" : " or %s", words[i].word);
    dbm__text_end(&t);
}

/* Words compare without case; - _ and blanks, however many, are one and the same between them. */
static char dbm__phrase_next(const char **c) {
    char one = *(*c)++;
    if (!one) (*c)--;
    if (one != ' ' && one != '_' && one != '-' && one != '\t') return one >= 'A' && one <= 'Z' ? (char)(one - 'A' + 'a') : one;
    while (**c == ' ' || **c == '_' || **c == '-' || **c == '\t') (*c)++;
    return ' ';
}

static const dbm__setting_word *dbm__phrase_find(const dbm__setting_word *words, const char *value) {
    for (; words->word; words++) {
        const char *a = value, *b = words->word;
        char x, y;
        do {
            x = dbm__phrase_next(&a);
            y = dbm__phrase_next(&b);
        } while (x == y && x);
        if (x == y) return words;
    }
    return NULL;
}

static int dbm__draft_get(const dbm__draft *d, int id) {
    int v = 0;
    if (dbm__setting_table[id].offset) memcpy(&v, (const char *)&d->s->config + dbm__setting_table[id].offset, sizeof v);
    return v;
}

static void dbm__draft_put(dbm__draft *d, int id, int v) {
    if (dbm__setting_table[id].offset) memcpy((char *)&d->s->config + dbm__setting_table[id].offset, &v, sizeof v);
}

static void dbm__draft_put_text(dbm__draft *d, int id, const char *text) {
    memcpy((char *)&d->s->config + dbm__setting_table[id].offset, &text, sizeof text);
}

static void dbm__draft_put_word(dbm__draft *d, int id, int v) {
    dbm_config *c = &d->s->config;
    switch (id) {
    case DBM__SET_PRE_PING: c->pool.pre_ping = (dbm_pre_ping)v; break;
    case DBM__SET_RESET: c->pool.reset_on_return = (dbm_reset)v; break;
    case DBM__SET_ISOLATION: c->isolation = (dbm_isolation)v; break;
    case DBM__SET_ECHO: c->echo = (dbm_echo)v; break;
    case DBM__SET_TLS: c->tls = (dbm_tls)v; break;
    default: break;
    }
}

/* A number or time of a file; value may be empty. */
static void dbm__draft_number(dbm__draft *d, int id, const dbm__cfg_given *given, const char *value) {
    const dbm__setting *key = dbm__setting_table + id;
    dbm__shown shown;
    int64_t number = 0;
    int v = 0;
    bool time = key->kind == DBM__SET_TIME;
    bool ok = time ? dbm__parse_duration(value, &v) : dbm__parse_int(value, INT_MIN, INT_MAX, &number);
    bool unlimited;
    if (key->kind == DBM__SET_INT) v = (int)number;
    unlimited = id == DBM__SET_MAX_OVERFLOW ? v == -1
                : (id == DBM__SET_POOL_SIZE || id == DBM__SET_MAX_CONNECTIONS) && (v == 0 || v == -1);
    if (ok && unlimited) {
        dbm__cfg_bad(d->p, &given->at, "a pool without limit is refused: the limit is 1,000 connections, pool_size and max_overflow together");
        d->wrong[id] = true;
        return;
    }
    if (ok && v == 0 && key->zero != DBM__SET_NO) v = key->zero;
    else if (ok && v == -1) {
        ok = key->minus != DBM__SET_NO;
        v = key->minus;
    } else if (ok) {
        ok = v >= key->min && v <= key->max;
    }
    if (ok) {
        if (id == DBM__SET_MAX_CONNECTIONS) {
            d->s->config.pool.size = v;
            d->s->config.pool.max_overflow = -1;
        } else {
            dbm__draft_put(d, id, v);
        }
        return;
    }
    d->wrong[id] = true;
    dbm__draft_show(&shown, given->value, given->variables);
    if (key->kind == DBM__SET_INT) {
        dbm__cfg_bad(d->p, &given->at, "expected a whole number from %d to %d, %s", key->min, key->max, shown.text);
    } else {
        dbm__cfg_bad(d->p, &given->at, "expected a time such as 30s%s, in ms, s, min, h or d, a bare number being seconds, up to 24 d, %s",
                     key->minus == -1 ? ", or -1 for never" : key->zero == DBM__SET_NO ? ", above 0" : ", or 0", shown.text);
    }
}

static void dbm__draft_word(dbm__draft *d, int id, const dbm__cfg_given *given, const char *value) {
    int listed;
    const dbm__setting_word *words = dbm__setting_words((dbm__setting_id)id, &listed), *found = dbm__phrase_find(words, value);
    dbm__shown shown;
    dbm__cfg_names names;
    char list[160], hint[96];
    int i;
    if (found) {
        dbm__draft_put_word(d, id, found->value);
        return;
    }
    d->wrong[id] = true;
    hint[0] = 0;
    if (!given->variables || !strstr(given->value, "${")) {
        memset(&names, 0, sizeof names);
        names.memory = &d->scratch;
        for (i = 0; i < listed; i++) dbm__cfg_names_add(&names, words[i].word);
        dbm__cfg_suggest(&names, value, hint, sizeof hint);
    }
    dbm__draft_word_list(words, listed, list, sizeof list);
    dbm__cfg_bad(d->p, &given->at, "expected %s, %s%s", list, dbm__draft_show(&shown, given->value, given->variables), hint);
}

static void dbm__draft_size(dbm__draft *d, int id, const dbm__cfg_given *given, const char *value) {
    dbm__shown shown;
    size_t size = 0;
    if (dbm__parse_size(value, &size) && size > 0) {
        d->s->config.row_buffer = size;
        return;
    }
    d->wrong[id] = true;
    dbm__cfg_bad(d->p, &given->at, "expected a size such as 64m, in k, m or g, a bare number being bytes, above 0, %s",
                 dbm__draft_show(&shown, given->value, given->variables));
}

/* ---- type, URL, options ------------------------------------------------------------------------------------------ */

static void dbm__draft_type(dbm__draft *d, const char *word, bool show) {
    dbm__cfg_types names;
    char value[48];
    d->type = dbm__cfg_type(d->types, d->type_count, word, strlen(word));
    if (d->type) return;
    if (dbm__same_word(word, "sqlasync")) { /* which backend it is, the URL says */
        d->s->async = true;
        return;
    }
    d->type_failed = true;
    dbm__cfg_type_names(&d->scratch, d->types, d->type_count, word, &names);
    if (show) {
        dbm__cfg_bad(d->p, &d->at[DBM__SET_TYPE], "the type %q is unknown%s (known types: %s)", dbm__draft_value(value, sizeof value, word),
                     names.hint, names.known);
    } else {
        dbm__cfg_bad(d->p, &d->at[DBM__SET_TYPE], "what the variable holds is not a known type (known types: %s)", names.known);
    }
}

static void dbm__draft_url(dbm__draft *d, const char *text, bool variables) {
    dbm__cfg_url_job job;
    memset(&job, 0, sizeof job);
    job.settings = d->s;
    job.keep = &d->keep;
    job.scratch = &d->scratch;
    job.problems = d->p;
    job.at = &d->at[DBM__SET_URL];
    job.types = d->types;
    job.type_count = d->type_count;
    job.type = d->type;
    job.type_failed = d->type_failed;
    job.variables = variables;
    if (!dbm__cfg_url(&job, text)) d->wrong[DBM__SET_URL] = true;
    if (!d->type_failed) d->type = job.type;
}

static void dbm__draft_option(dbm__draft *d, const char *name, const char *value) {
    dbm_option *one = d->options + d->option_count;
    one->name = dbm__cfg_copy(&d->keep, name, strlen(name));
    one->value = dbm__cfg_copy(&d->keep, value, strlen(value));
    if (!one->name || !one->value) return;
    if (dbm__cfg_secret_name(name, strlen(name))) dbm__cfg_secret(d->s, &d->keep, one->value, strlen(one->value));
    d->option_count++;
}

/* Whether the adapter has a key of this name; when not, says so. */
static bool dbm__draft_option_known(dbm__draft *d, const char *name, const dbm__cfg_at *at) {
    dbm__cfg_names names;
    char hint[96], shown[64];
    size_t i, size = strlen(name), head = strcspn(name, ".");
    if (size > 13 && strncmp(name, "connect_args.", 13) == 0) return true;
    if (d->type && dbm__list_has(d->type->options, name, size)) return true;
    for (i = 0; i < d->type_count; i++) {
        if (!dbm__list_has(d->types[i].options, name, size)) continue;
        if (!d->type) return true; /* the type is the mistake, and that has been said */
        return dbm__cfg_bad(d->p, at, "this is a key of type %s, and this database is of type %s", d->types[i].type, d->type->type);
    }
    memset(&names, 0, sizeof names);
    names.memory = &d->scratch;
    for (i = 0; i < DBM__SET_COUNT; i++) {
        if (!d->in_code) dbm__cfg_names_add(&names, dbm__setting_table[i].key);
    }
    if (d->type) dbm__cfg_names_add(&names, d->type->options);
    hint[0] = 0;
    dbm__copy_cut(shown, sizeof shown, name);
    if (name[head] || dbm__same_word(name, "connect_args")) { /* connect_arg.x */
        names.count = 0;
        dbm__cfg_names_add(&names, "connect_args");
        shown[head < sizeof shown - 4 ? head : sizeof shown - 4] = 0;
        if (names.count && dbm__nearest(shown, names.items, names.count)) {
            dbm__copy_cut(hint, sizeof hint, "; what the driver takes is written connect_args.NAME");
        }
    } else {
        dbm__cfg_suggest(&names, name, hint, sizeof hint);
    }
    if (d->in_code && dbm__setting_find(name, size) >= 0) {
        dbm__cfg_bad(d->p, at, "this is a field of dbm_config (%s), not an option", dbm__setting_table[dbm__setting_find(name, size)].field);
    } else if (d->type) {
        const char *own = d->type->options ? d->type->options : "";
        dbm__cfg_bad(d->p, at, "unknown %s%s%s%s", d->in_code ? "option" : "key", hint, *own ? "; those of this type are " : "", own);
    } else {
        dbm__cfg_bad(d->p, at, "unknown %s%s", d->in_code ? "option" : "key", hint);
    }
    return false;
}

/* ---- what must fit together -------------------------------------------------------------------------------------- */

static void dbm__draft_complete_number(dbm__draft *d, int id) {
    const dbm__setting *key = dbm__setting_table + id;
    dbm__cfg_at at = d->at[id];
    int v = dbm__draft_get(d, id);
    if (!key->offset || key->kind == DBM__SET_TEXT) return;
    if (v == 0) {
        dbm__draft_put(d, id, key->standard);
        return;
    }
    if (v == -1 && key->none) {
        dbm__draft_put(d, id, 0);
        return;
    }
    if (v >= key->min && v <= key->max) return;
    d->wrong[id] = true;
    if (d->in_code) at.key = key->field;
    if (key->kind == DBM__SET_TIME) {
        dbm__cfg_bad(d->p, &at, "expected milliseconds from %d%s, or 0 for the default, not %d", key->min, key->none ? ", -1 for none" : "", v);
    } else {
        dbm__cfg_bad(d->p, &at, "expected a number from %d to %d%s, or 0 for the default %d, not %d", key->min ? key->min : 1,
                     key->max, key->none ? ", -1 for none" : "", key->standard, v);
    }
}

static const dbm__cfg_at *dbm__draft_at(const dbm__draft *d, int id, dbm__cfg_at *at) {
    *at = d->at[id];
    at->key = d->in_code ? dbm__setting_table[id].field : dbm__setting_table[id].key;
    return at;
}

static void dbm__draft_complete_pool(dbm__draft *d) {
    dbm_pool_options *pool = &d->s->config.pool;
    bool set = pool->max_overflow != 0, wrong;
    int i, id = DBM__SET_MAX_OVERFLOW;
    dbm__cfg_at at;
    for (i = 0; i < DBM__SET_COUNT; i++) {
        if (dbm__setting_table[i].kind == DBM__SET_INT || dbm__setting_table[i].kind == DBM__SET_TIME) dbm__draft_complete_number(d, i);
    }
    wrong = d->wrong[DBM__SET_POOL_SIZE] || d->wrong[DBM__SET_MAX_CONNECTIONS];
    if (wrong) return;
    if (d->set[DBM__SET_MAX_CONNECTIONS] && (d->set[DBM__SET_POOL_SIZE] || d->set[DBM__SET_MAX_OVERFLOW])) {
        dbm__cfg_bad(d->p, dbm__draft_at(d, DBM__SET_MAX_CONNECTIONS, &at), "it means pool_size = n with max_overflow = 0; leave out either it or %s",
                     d->set[DBM__SET_POOL_SIZE] ? "pool_size" : "max_overflow");
        return;
    }
    if (!d->wrong[id] && pool->max_overflow > DBM__SET_LIMIT - pool->size) {
        if (!set) {
            pool->max_overflow = DBM__SET_LIMIT - pool->size; /* the default gives way */
        } else {
            dbm__cfg_bad(d->p, dbm__draft_at(d, d->in_code || d->set[id] ? id : DBM__SET_POOL_SIZE, &at),
                         "pool_size %d and max_overflow %d are %d connections together; the limit is 1,000", pool->size, pool->max_overflow, pool->size + pool->max_overflow);
        }
    }
    if (!d->wrong[DBM__SET_MIN_IDLE] && pool->min_idle > pool->size) {
        dbm__cfg_bad(d->p, dbm__draft_at(d, DBM__SET_MIN_IDLE, &at), "min_idle %d is more than pool_size %d", pool->min_idle, pool->size);
    }
}

static bool dbm__sslmode_name(const char *name) {
    static const char prefix[] = "connect_args.";
    if (strncmp(name, prefix, sizeof prefix - 1) == 0) name += sizeof prefix - 1;
    return dbm__same_word(name, "sslmode") || dbm__same_word(name, "ssl-mode") || dbm__same_word(name, "ssl_mode");
}

/* The same wish, said twice, must be the same. */
static void dbm__draft_complete_tls(dbm__draft *d) {
    dbm_config *c = &d->s->config;
    const dbm_option *list = d->s->url.parameters;
    size_t i, count = d->s->url.parameter_count;
    dbm_tls given = c->tls;
    const char *const where[] = { "in the URL", "in connect_args" };
    dbm__cfg_at at;
    int round;
    for (round = 0; round < 2; round++, list = c->options, count = c->option_count) {
        for (i = 0; i < count; i++) {
            const dbm__setting_word *word;
            int j;
            if (!dbm__sslmode_name(list[i].name)) continue;
            word = dbm__phrase_find(dbm__setting_words_sslmode, list[i].value);
            if (given == DBM_TLS_DEFAULT) {
                if (word && c->tls == DBM_TLS_DEFAULT) c->tls = (dbm_tls)word->value;
                continue;
            }
            if (word && word->value == (int)given) continue;
            for (j = 0; dbm__setting_words_tls[j].word && dbm__setting_words_tls[j].value != (int)given; j++) {}
            dbm__cfg_bad(d->p, dbm__draft_at(d, DBM__SET_TLS, &at), "%s differs from sslmode%s%s %s; keep one of them", dbm__setting_words_tls[j].word,
                         word ? " = " : "", word ? word->word : "", where[round]);
        }
    }
}

static void dbm__draft_complete(dbm__draft *d) {
    dbm_config *c = &d->s->config;
    dbm__cfg_at at;
    c->options = d->option_count ? d->options : NULL;
    c->option_count = d->option_count;
    if (d->s->async && d->type && (strcmp(d->type->type, "redis") == 0 || strcmp(d->type->type, "mongodb") == 0)) {
        dbm__cfg_bad(d->p, &d->at[DBM__SET_TYPE], "sqlasync is a type of SQL databases, and the URL is one of type %s: leave type out", d->type->type);
    }
    if (d->s->url.driver && *d->s->url.driver && dbm__list_has("asyncpg,psycopg_async,aiomysql,asyncmy,aiosqlite", d->s->url.driver, strlen(d->s->url.driver))) d->s->async = true;
    if (!d->set[DBM__SET_URL] && !d->partly && !d->type_failed && !d->wrong[DBM__SET_TYPE] && (!d->type || strcmp(d->type->type, "sqlite") == 0)) {
        dbm__draft_at(d, DBM__SET_URL, &at);
        at.line = d->section.line;
        dbm__cfg_bad(d->p, &at, "it is missing; for example sqlite:///file.db%s",
                     d->type ? ", or sqlite:///:memory:" : " or postgresql://user:password@host/name");
    }
    if (d->type && d->type->macro) {
        dbm__draft_at(d, d->set[DBM__SET_TYPE] ? DBM__SET_TYPE : DBM__SET_URL, &at);
        d->p->not_compiled++;
        if (d->type->package) {
            bool needs = d->type->package[0] != 0;
            dbm__cfg_bad(d->p, &at, "type %s is not compiled into this program: define %s where DBM_IMPLEMENTATION is defined%s%s%s", d->type->type, d->type->macro,
                         needs ? " (package " : "", d->type->package, needs ? ")" : "");
        } else {
            dbm__cfg_bad(d->p, &at, "dbm.h " DBM_VERSION " has no adapter of type %s: register one of your own with dbm_register, or leave this "
                         "database out", d->type->type);
        }
    }
    dbm__draft_complete_pool(d);
    if (!d->wrong[DBM__SET_TLS] && !d->wrong[DBM__SET_URL]) dbm__draft_complete_tls(d);
    if (!c->row_buffer) c->row_buffer = (size_t)64 << 20;
    if (d->type) c->type = dbm__cfg_copy(&d->keep, d->type->type, strlen(d->type->type));
}

static void dbm__draft_empty_url(dbm_url *url) {
    url->scheme = url->driver = url->user = url->password = url->hosts = url->path = "";
}

/* ---- from a section ---------------------------------------------------------------------------------------------- */

static void dbm__draft_take(dbm__draft *d, const dbm__cfg_given *given) {
    int id = dbm__setting_find(given->key, strlen(given->key));
    const dbm__setting *key = id < 0 ? NULL : dbm__setting_table + id;
    const char *value;
    if (id == DBM__SET_TYPE || id == DBM__SET_URL) return; /* taken before */
    if (!key && !dbm__draft_option_known(d, given->key, &given->at)) return;
    if (key) {
        d->set[id] = true;
        d->at[id] = given->at;
    }
    value = dbm__cfg_expand(key && key->kind != DBM__SET_TEXT ? &d->scratch : &d->keep, given->value, strlen(given->value),
                            given->variables ? DBM__CFG_VARIABLES : 0, d->p, &given->at, NULL);
    if (!value) {
        if (key) d->wrong[id] = true;
        return;
    }
    if (!key) {
        dbm__draft_option(d, given->key, value);
        return;
    }
    switch (key->kind) {
    case DBM__SET_TEXT: dbm__draft_put_text(d, id, *value ? value : NULL); break;
    case DBM__SET_INT:
    case DBM__SET_TIME: dbm__draft_number(d, id, given, value); break;
    case DBM__SET_WORD: dbm__draft_word(d, id, given, value); break;
    case DBM__SET_SIZE: dbm__draft_size(d, id, given, value); break;
    }
}

DBM__FN void dbm__cfg_build(dbm__host *host, const char *name, const dbm__cfg_at *at, const dbm__cfg_given *given, size_t count,
                            const dbm__known_type *types, size_t type_count, bool partly, dbm__settings **out, dbm__problems *p, bool *no_memory) {
    dbm__draft d;
    const dbm__cfg_given *type = NULL, *url = NULL;
    const char *word;
    int before = p->count;
    size_t i;
    dbm__cfg_buffer origin;
    char digits[24];
    *out = NULL;
    if (!dbm__draft_begin(&d, host, types, type_count, at, p)) goto done;
    d.partly = partly;
    dbm__draft_empty_url(&d.s->url);
    d.s->config.url = "";
    d.s->config.name = dbm__cfg_copy(&d.keep, name, strlen(name));
    memset(&origin, 0, sizeof origin);
    origin.memory = &d.keep;
    dbm__cfg_add(&origin, at->file, strlen(at->file));
    dbm__format(digits, sizeof digits, ":%d", at->line);
    dbm__cfg_add(&origin, digits, strlen(digits));
    d.s->origin = dbm__cfg_text(&origin);
    d.options = (dbm_option *)dbm__cfg_alloc(&d.keep, (count + 1) * sizeof *d.options);
    if (!d.options) goto done;
    for (i = 0; i < count; i++) {
        if (strcmp(given[i].key, "type") == 0) type = given + i;
        if (strcmp(given[i].key, "url") == 0) url = given + i;
    }
    if (type) {
        d.set[DBM__SET_TYPE] = true;
        d.at[DBM__SET_TYPE] = type->at;
        word = dbm__cfg_expand(&d.scratch, type->value, strlen(type->value), type->variables ? DBM__CFG_VARIABLES : 0, p, &type->at, NULL);
        if (word) dbm__draft_type(&d, word, !type->variables || !strstr(type->value, "${"));
        else d.wrong[DBM__SET_TYPE] = d.type_failed = true;
    }
    if (url) {
        d.set[DBM__SET_URL] = true;
        d.at[DBM__SET_URL] = url->at;
        dbm__draft_url(&d, url->value, url->variables);
    }
    for (i = 0; i < count; i++) dbm__draft_take(&d, given + i);
    dbm__draft_complete(&d);
done:
    dbm__draft_end(&d, host, p->count == before, out, no_memory);
}

/* ---- from code --------------------------------------------------------------------------------------------------- */

static void dbm__draft_copy(dbm__draft *d, const char **text) {
    if (*text) *text = **text ? dbm__cfg_copy(&d->keep, *text, strlen(*text)) : NULL;
}

/* A number that is no value of its enum. */
static void dbm__draft_enum(dbm__draft *d, int id, int v, int last, const char *type) {
    dbm__cfg_at at;
    if (v >= 0 && v <= last) return;
    d->wrong[id] = true;
    dbm__cfg_bad(d->p, dbm__draft_at(d, id, &at), "%d is no value of %s", v, type);
}

static void dbm__draft_options(dbm__draft *d, const dbm_config *in) {
    dbm__cfg_at at = d->section;
    char shown[64];
    size_t i, j;
    at.key = "options";
    if (in->option_count && !in->options) {
        dbm__cfg_bad(d->p, &at, "option_count is %z, but options is NULL", in->option_count);
        return;
    }
    if (in->option_count > DBM__SET_LIMIT) {
        dbm__cfg_bad(d->p, &at, "%z options; the limit is 1,000", in->option_count);
        return;
    }
    d->options = (dbm_option *)dbm__cfg_alloc(&d->keep, (in->option_count + 1) * sizeof *d->options);
    if (!d->options) return;
    for (i = 0; i < in->option_count; i++) {
        const dbm_option *one = in->options + i;
        at.key = "options";
        if (!one->name || !*one->name || !one->value) {
            dbm__cfg_bad(d->p, &at, "option %z has no %s", i, one->name && *one->name ? "value" : "name");
            continue;
        }
        dbm__copy_cut(shown, sizeof shown, one->name);
        at.key = shown;
        for (j = 0; j < i && !(in->options[j].name && strcmp(in->options[j].name, one->name) == 0); j++) {}
        if (j < i) dbm__cfg_bad(d->p, &at, "the option is given twice");
        else if (dbm__draft_option_known(d, one->name, &at)) dbm__draft_option(d, one->name, one->value);
    }
}

DBM__FN dbm_status dbm__config_make(dbm__host *host, const dbm_config *in, const dbm__known_type *types, size_t type_count,
                                    dbm__settings **out, dbm__problems *p) {
    static const char origin[] = "dbm_add_database";
    dbm__draft d;
    dbm_config *c;
    const char *name, *url, *word;
    dbm__cfg_at at;
    char shown[64];
    int before = p->count, before_compiled = p->not_compiled;
    bool no_memory = false;
    *out = NULL;
    at.file = origin;
    at.line = 0;
    at.section = at.key = NULL;
    if (!in) {
        dbm__cfg_bad(p, &at, "the configuration is NULL");
        return DBM_E_CONFIG;
    }
    name = in->name && *in->name ? in->name : "default";
    if (!dbm__cfg_name_ok(name)) {
        dbm__draft_value(shown, sizeof shown, name);
        at.key = "name";
        dbm__cfg_bad(p, &at, "a name is of letters, digits, _ and -, up to 63 of them, not %q", shown);
        name = "default";
        at.key = NULL;
    } else {
        at.section = name;
    }
    if (!dbm__draft_begin(&d, host, types, type_count, &at, p)) goto done;
    d.in_code = true;
    d.s->config = *in;
    c = &d.s->config;
    url = in->url && *in->url ? in->url : NULL;
    word = in->type && *in->type ? in->type : NULL;
    c->name = name;
    c->type = NULL;
    c->url = "";
    c->options = NULL;
    c->option_count = 0;
    dbm__draft_empty_url(&d.s->url);
    d.s->origin = origin;
    dbm__draft_copy(&d, &c->name);
    dbm__draft_copy(&d, &c->tls_ca);
    dbm__draft_copy(&d, &c->tls_cert);
    dbm__draft_copy(&d, &c->tls_key);
    dbm__draft_copy(&d, &c->init_sql);
    dbm__draft_enum(&d, DBM__SET_PRE_PING, (int)in->pool.pre_ping, DBM_PRE_PING_OFF, "dbm_pre_ping");
    dbm__draft_enum(&d, DBM__SET_RESET, (int)in->pool.reset_on_return, DBM_RESET_FULL, "dbm_reset");
    dbm__draft_enum(&d, DBM__SET_ISOLATION, (int)in->isolation, DBM_AUTOCOMMIT, "dbm_isolation");
    dbm__draft_enum(&d, DBM__SET_ECHO, (int)in->echo, DBM_ECHO_VALUES, "dbm_echo");
    dbm__draft_enum(&d, DBM__SET_TLS, (int)in->tls, DBM_TLS_VERIFY_FULL, "dbm_tls");
    d.at[DBM__SET_TYPE].key = "type";
    d.at[DBM__SET_URL].key = "url";
    if (word) {
        d.set[DBM__SET_TYPE] = true;
        dbm__draft_type(&d, word, true);
    }
    if (url) {
        d.set[DBM__SET_URL] = true;
        dbm__draft_url(&d, url, false);
    }
    dbm__draft_options(&d, in);
    dbm__draft_complete(&d);
done:
    dbm__draft_end(&d, host, p->count == before, out, &no_memory);
    if (no_memory) return dbm__no_memory(DBM_STAGE_CONFIG, name, NULL);
    if (p->count == before) return DBM_OK;
    return p->count - before == p->not_compiled - before_compiled ? DBM_E_NOT_COMPILED : DBM_E_CONFIG;
}
