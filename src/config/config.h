/* Configuration: texts in, checked settings out; and the blanking of secrets. Reads INI (inih), URLs, ${ENV}, overrides.
 * May call: api/, base/.
 * Must not know: what an adapter is. It parses against a table of types and keys that it is given. */
#ifndef DBM__CONFIG_H
#define DBM__CONFIG_H
#include "../base/base.h"

/* ---- the rules of an INI file ----------------------------------------------------------------------------------------
 * Lines     end in LF, CRLF or CR; a UTF-8 byte order mark is skipped; a NUL byte is an error. Any length.
 * Comments  a line whose first visible character is ; or #. At the end of a value a comment begins at a `;`
 *             - after a blank, in keys whose values are numbers, times, words or paths,
 *             - between two blanks, or between a blank and the end, in url, connect_args.x and an adapter's own keys,
 *             - never, in init_sql.
 *           So `postgresql://app:a ;b@db/shop` arrives whole.
 * Quotes    a value that begins with " runs to the next single ", with "" for one inside; nothing in it is a comment.
 *           Variables are replaced in it too.
 * Long      an indented line continues the value above, with one blank between. An indented line that looks like a known key
 *           or a section is an error rather than a part of that value.
 * Variables ${NAME} and ${NAME:-default} (when unset or empty; it ends at the first brace), $$ is one $, any other $ is
 *           itself. What was put in is not looked at again. In a URL the structure is read first: a variable is a whole or
 *           partial user, password, host list, path or parameter, and is not percent-decoded. Only when the text has no ://
 *           of its own (url = ${DATABASE_URL}) the variable's text is read as a URL.
 * Overrides DBM__DATABASES__NAME__KEY, upper case, - in both as _, the . of connect_args.x as __; taken as it is, without
 *           variables; empty counts as unset. It sets or replaces a key of a section that exists (connect_args.x: it
 *           replaces only), and what it replaces need not be right.
 * Sections  [databases.NAME], NAME of letters, digits, _ and -, up to 63. Others are other services' and ignored, unless
 *           they look like it ([database.x], [databases], [databases:x]). A key above the first section is ignored, unless
 *           it is a known one.
 * Numbers   0 is zero. -1: pool_recycle, idle_timeout, tcp_keepalive, tcp_user_timeout: never; statement_timeout,
 *           socket_timeout, leak_warning: none, as 0 is; max_overflow: no limit, which is an error, as pool_size = 0 is.
 *           pool_recycle = 0 and idle_timeout = 0 replace and close as soon as it can be (1 ms).
 * Empty     init_sql, tls_ca, tls_cert and tls_key: not set. The options of an adapter: "". Else an error.
 * Limits    16 MiB, 1,000 databases, 500 keys in a section, 120 bytes in a key's name. */

/* One adapter type that may be named by a section or a URL. */
typedef struct dbm__known_type {
    const char *type;     /* "sqlite" */
    const char *schemes;  /* "sqlite,file"; NULL: the type. They are accepted as type names too (mariadb) */
    const char *options;  /* its own keys, "busy_timeout,foreign_keys"; NULL or "" for none */
    const char *macro;    /* "DBM_WITH_POSTGRESQL" when it is not compiled in, else NULL */
    const char *package;  /* with macro: what to install, "libpq-dev"; NULL: no macro helps, this version has no such adapter */
} dbm__known_type;

struct dbm__secrets;

/* One database's settings, complete: every default filled in, every text owned, in one allocation chain.
 * config is as in force, so 0 does not mean "default" in it, and there is no -1:
 *   pool.size                                          1..1000
 *   pool.max_overflow, pool.min_idle, statement_cache  the number; 0 is none
 *   pool.timeout_ms                                    0: a checkout does not wait
 *   pool.recycle_ms, pool.idle_timeout_ms, statement_timeout_ms, socket_timeout_ms, leak_warning_ms,
 *   tcp_keepalive_ms, tcp_user_timeout_ms              0: never, or off
 *   connect_timeout_ms, row_buffer                     never 0
 *   pool.pre_ping, pool.reset_on_return                DEFAULT is the name of `true` and of `rollback`
 *   isolation, tls                                     DEFAULT: not set (tls is also set by sslmode in the URL)
 *   url                                                masked; "" when there is none
 *   init_sql, tls_ca, tls_cert, tls_key                NULL when not set
 *   options                                            names as written: "busy_timeout", "connect_args.gssencmode" */
typedef struct dbm__settings {
    dbm_config config;
    dbm_url url;            /* decoded parts, the password among them: only adapters see it. For sqlite:// path is ":memory:"
                             * too. A text that is no URL (a driver's own DSN; type must be given) is path; scheme is "" then */
    bool async;             /* type sqlasync, or a driver such as asyncpg: see dbm_database_async() */
    const char *origin;     /* "integration.ini:12", or "dbm_add_database" */
    struct dbm__secrets *secrets; /* what dbm__redact blanks out */
    void *owned;            /* list of blocks; each is wiped before it is freed */
} dbm__settings;

/* How many of a URL's hosts are names that must be looked up, which may block: no addresses, local sockets, or localhost. */
DBM__FN int dbm__url_names(const char *hosts);

typedef struct dbm__settings_list { dbm__settings **items; size_t count, capacity; } dbm__settings_list;

/* All mistakes of one load, each a line. The text is bounded; `count` is not, and what no longer fits goes to the log, up to
 * the 200th mistake. */
typedef struct dbm__problems {
    dbm__host *host;
    dbm__text text;
    int count, shown;
    int not_compiled;       /* how many of count are about something that is not compiled in */
} dbm__problems;
DBM__FN void dbm__problems_init(dbm__problems *p, dbm__host *host, char *block, size_t capacity);
/* file: the file's name, "dbm_add_database" or "environment NAME"; line: 0 when there is none; section and key may be NULL.
 * The format is that of dbm__putf and never holds a secret. Adds "file:line: [section] key: text\n". */
DBM__FN void dbm__problem(dbm__problems *p, const char *file, int line, const char *section, const char *key,
                          const char *format, ...);

/* Reads an INI text, or the file at `path` when text is NULL (path also names the text in messages). size SIZE_MAX: up to the
 * NUL. *out is emptied first; it may stay empty, when no section is about a database. use_env: whether overrides are looked
 * for; ${NAME} is replaced anyway.
 * Returns E_CONFIG when there was any problem, and then no settings; E_NOT_COMPILED when all of them are about what is not
 * compiled in; E_UNSUPPORTED for a path without files (DBM_NO_STDIO); E_NOMEM. Each but E_NOMEM leaves its text in p. */
DBM__FN dbm_status dbm__config_load(dbm__host *host, const char *path, const char *text, size_t size,
                                    const dbm__known_type *types, size_t type_count, bool use_env, dbm__settings_list *out,
                                    dbm__problems *p);
/* Checks and completes a struct from code. Its texts are taken as they are: no variables, no overrides. Statuses as above. */
DBM__FN dbm_status dbm__config_make(dbm__host *host, const dbm_config *in, const dbm__known_type *types, size_t type_count,
                                    dbm__settings **out, dbm__problems *p);
DBM__FN void dbm__settings_free(dbm__host *host, dbm__settings *settings);
DBM__FN void dbm__settings_list_free(dbm__host *host, dbm__settings_list *list);

/* An option of the adapter, a connect_args.x key or a URL parameter, in this order; NULL when not set. Of a parameter that is
 * repeated, the last. */
DBM__FN const char *dbm__settings_option(const dbm__settings *settings, const char *key);
/* Replaces every secret of these settings by *** in place, whatever form it has: plain, percent-encoded, with quotes doubled or
 * escaped; and what stands where passwords stand: `://user:here@`, `password=here`. Secrets of one or two bytes are blanked
 * only there and as `:here@`. Never lengthens. To be called before a text is cut. NULL settings: only by place. */
DBM__FN void dbm__redact(const dbm__settings *settings, char *text);
/* A password that came from elsewhere (a credential callback) is a secret too, from now on; the newest 16 are remembered. Safe
 * from any thread, as dbm__redact is. */
DBM__FN dbm_status dbm__settings_add_secret(dbm__host *host, dbm__settings *settings, const char *secret);

/* "30s", "10min", "500ms", "1h", "2d", "1.5s"; a bare number is seconds; -1 is itself. False when it is none of these or
 * more than INT_MAX milliseconds. Parts of a millisecond are rounded up. */
DBM__FN bool dbm__parse_duration(const char *text, int *out_ms);
DBM__FN bool dbm__parse_int(const char *text, int64_t min, int64_t max, int64_t *out);
/* true/false, yes/no, on/off, 1/0 */
DBM__FN bool dbm__parse_bool(const char *text, bool *out);
/* "64k", "10m", "1g", also kb, kib and so on, all by 1024; or bytes */
DBM__FN bool dbm__parse_size(const char *text, size_t *out);

/* ---- within this room -------------------------------------------------------------------------------------------------- */

/* Memory that is freed together and wiped first. `failed` sticks, so it is asked once, at the end. */
typedef struct dbm__cfg_block { struct dbm__cfg_block *next; size_t size; } dbm__cfg_block;
typedef struct dbm__cfg_memory { dbm__host *host; dbm__cfg_block *blocks; bool failed; } dbm__cfg_memory;
DBM__FN void *dbm__cfg_alloc(dbm__cfg_memory *m, size_t size); /* zeroed */
DBM__FN char *dbm__cfg_copy(dbm__cfg_memory *m, const char *text, size_t size);
DBM__FN void dbm__cfg_release(dbm__cfg_memory *m);

/* `items`, or a larger copy where `count` have filled it. NULL: no memory. */
DBM__FN void *dbm__cfg_room(dbm__cfg_memory *m, void *items, size_t count, size_t *capacity, size_t size);

/* A text that grows in such memory; it is wiped where it moves away from. */
typedef struct dbm__cfg_buffer { dbm__cfg_memory *memory; char *data; size_t size, capacity; } dbm__cfg_buffer;
DBM__FN void dbm__cfg_add(dbm__cfg_buffer *b, const char *text, size_t size);
DBM__FN const char *dbm__cfg_text(dbm__cfg_buffer *b); /* "" rather than NULL */

/* Where a mistake is. */
typedef struct dbm__cfg_at { const char *file; int line; const char *section, *key; } dbm__cfg_at;
/* Returns false, for who fails with it. */
DBM__FN bool dbm__cfg_bad(dbm__problems *p, const dbm__cfg_at *at, const char *format, ...);

/* Names to suggest from. */
typedef struct dbm__cfg_names { dbm__cfg_memory *memory; const char **items; size_t count, capacity; } dbm__cfg_names;
DBM__FN void dbm__cfg_names_add(dbm__cfg_names *names, const char *list); /* comma-separated */
/* "; did you mean 'x'?" into block, or "". */
DBM__FN const char *dbm__cfg_suggest(const dbm__cfg_names *names, const char *word, char *block, size_t capacity);

/* Replaces variables, decodes. NULL after a problem, which is reported with `part` (NULL: none), or without memory. */
enum { DBM__CFG_VARIABLES = 1, DBM__CFG_DECODE = 2, DBM__CFG_HOSTS = 4 }; /* HOSTS: % of a variable becomes %25 */
DBM__FN const char *dbm__cfg_expand(dbm__cfg_memory *m, const char *text, size_t size, unsigned how, dbm__problems *p,
                                    const dbm__cfg_at *at, const char *part);
/* Past the variable, $$ or character at c. */
DBM__FN const char *dbm__cfg_next(const char *c, const char *end, bool variables);
DBM__FN const char *dbm__cfg_env(const char *name); /* NULL when unset, or without an environment */
DBM__FN bool dbm__cfg_blank(char c);

/* What a section gave for one key. */
typedef struct dbm__cfg_given {
    const char *key, *value;  /* value: as written, comment and quotes removed */
    bool variables;           /* ${NAME} is replaced in it */
    dbm__cfg_at at;
} dbm__cfg_given;
DBM__FN const char *dbm__cfg_key(size_t i); /* the i-th known key, or NULL */
DBM__FN bool dbm__cfg_known_key(const char *key, size_t size);
/* Makes settings of what a section gave. *out is NULL after any problem. `partly`: missing keys are no problem. */
DBM__FN void dbm__cfg_build(dbm__host *host, const char *name, const dbm__cfg_at *at, const dbm__cfg_given *given, size_t count,
                            const dbm__known_type *types, size_t type_count, bool partly, dbm__settings **out, dbm__problems *p,
                            bool *no_memory);
DBM__FN bool dbm__cfg_name_ok(const char *name);

/* The type that a word or a scheme names, or NULL. */
DBM__FN const dbm__known_type *dbm__cfg_type(const dbm__known_type *types, size_t count, const char *word, size_t size);
/* The names of all types into `known`, and into `hint` what dbm__cfg_suggest() has to say about a word that is none of them. */
typedef struct dbm__cfg_types { char hint[96], known[256]; } dbm__cfg_types;
DBM__FN void dbm__cfg_type_names(dbm__cfg_memory *m, const dbm__known_type *types, size_t count, const char *word, dbm__cfg_types *out);
/* Whether a key or parameter of this name holds a secret. */
DBM__FN bool dbm__cfg_secret_name(const char *name, size_t size);
DBM__FN bool dbm__cfg_secrets_init(dbm__host *host, dbm__settings *s);
DBM__FN void dbm__cfg_secrets_free(dbm__host *host, dbm__settings *s);
DBM__FN void dbm__cfg_secret(dbm__settings *s, dbm__cfg_memory *m, const char *text, size_t size);
/* Reads a URL into settings->url and its mask into settings->config.url. type: the one that was given, or NULL; then it is
 * found by the scheme. False after a problem or without memory. */
typedef struct dbm__cfg_url_job {
    dbm__settings *settings;
    dbm__cfg_memory *keep, *scratch;
    dbm__problems *problems;
    const dbm__cfg_at *at;
    const dbm__known_type *types;
    size_t type_count;
    const dbm__known_type *type;
    bool type_failed;       /* a type was given and is not known: the scheme is not compared with it */
    bool variables;
} dbm__cfg_url_job;
DBM__FN bool dbm__cfg_url(dbm__cfg_url_job *job, const char *text);
#endif /* DBM__CONFIG_H */
