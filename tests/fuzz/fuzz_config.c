/* libFuzzer target for config/. The first byte chooses: an INI text, a URL in a section, a struct from code, or redaction.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I. -DDBM_WITH_INI tests/fuzz/fuzz_config.c -linih -lpthread -o fuzz_config
 * With -DFUZZ_REPLAY it has a main() of its own that runs the files it is given, for compilers without libFuzzer. */
#define DBM_NO_CONFIG
#define DBM_IMPLEMENTATION
#include "dbm.h"
#include <stdio.h>
#include <stdlib.h>

#define MUST(condition) \
    do { if (!(condition)) { fprintf(stderr, "fuzz_config.c:%d: %s\n", __LINE__, #condition); abort(); } } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const dbm__known_type fuzz_types[] = {
    { "sqlite", "sqlite,file", "busy_timeout,foreign_keys", NULL, NULL },
    { "postgresql", "postgresql,postgres", "", NULL, NULL },
    { "mongodb", "mongodb,mongodb+srv", NULL, "DBM_WITH_MONGODB", NULL },
    { "neo4j", NULL, "realm,auth_token", NULL, NULL }
};
#define FUZZ_SECRET "QZ~2-of-the-environment" /* in $S: no message may show it */
enum { FUZZ_TYPES = sizeof fuzz_types / sizeof fuzz_types[0] };

/* What holds for settings, whatever they were made of. */
static void fuzz_check(dbm__host *host, dbm__settings *s) {
    const dbm_config *c = &s->config;
    char *text;
    size_t size, i;
    MUST(c->name && *c->name && strlen(c->name) < 64 && c->type && *c->type && c->url && s->origin);
    MUST(c->pool.size >= 1 && c->pool.max_overflow >= 0 && c->pool.size + c->pool.max_overflow <= 1000);
    MUST(c->pool.min_idle >= 0 && c->pool.min_idle <= c->pool.size && c->pool.timeout_ms >= 0 && c->pool.recycle_ms >= 0);
    MUST(c->pool.idle_timeout_ms >= 0 && c->connect_timeout_ms > 0 && c->statement_timeout_ms >= 0);
    MUST(c->socket_timeout_ms >= 0 && c->tcp_keepalive_ms >= 0 && c->tcp_user_timeout_ms >= 0 && c->leak_warning_ms >= 0);
    MUST(c->statement_cache >= 0 && c->statement_cache <= 4096 && c->row_buffer > 0);
    MUST(s->url.scheme && s->url.driver && s->url.user && s->url.password && s->url.hosts && s->url.path);
    for (i = 0; i < c->option_count; i++) {
        MUST(c->options[i].name && c->options[i].value && dbm__settings_option(s, c->options[i].name));
    }
    for (i = 0; i < s->url.parameter_count; i++) MUST(dbm__settings_option(s, s->url.parameters[i].name));
    /* a password of some length does not survive; stars and short ones may */
    size = strlen(s->url.password);
    if (size < 3 || strspn(s->url.password, "*") > 0) return;
    text = (char *)malloc(2 * size + strlen(c->url) + 32);
    MUST(text != NULL);
    strcpy(text, "<");
    strcat(text, s->url.password);
    strcat(text, "> ");
    dbm__redact(s, text);
    MUST(strlen(text) <= size + 3 && !strstr(text, s->url.password));
    strcpy(text, s->url.password);
    MUST(dbm__settings_add_secret(host, s, text) == DBM_OK);
    free(text);
}

static void fuzz_problems(const dbm__problems *p, dbm_status rc) {
    MUST(rc == DBM_OK || rc == DBM_E_CONFIG || rc == DBM_E_NOT_COMPILED);
    MUST((rc == DBM_OK) == (p->count == 0) && p->shown <= p->count && p->not_compiled <= p->count);
    MUST(p->text.size < p->text.capacity && p->text.data[p->text.size] == '\0');
    MUST(rc != DBM_E_NOT_COMPILED || p->count == p->not_compiled);
}

static void fuzz_quiet(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    MUST(ud == NULL && level > 0 && event_id > 0 && database && text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dbm_options options;
    dbm__host host;
    dbm__settings_list list;
    dbm__settings *one = NULL;
    dbm__problems p;
    dbm_config config;
    dbm_option option;
    dbm_status rc;
    char block[2000], *text;
    size_t i, n;
    int kind;
    if (!size) return 0;
    if (!getenv("S")) MUST(setenv("S", FUZZ_SECRET, 1) == 0);
    kind = data[0] % 4;
    data++;
    size--;
    memset(&options, 0, sizeof options);
    options.log = fuzz_quiet;
    MUST(dbm__host_init(&host, &options) == DBM_OK);
    dbm__problems_init(&p, &host, block, sizeof block);
    text = (char *)malloc(size + 64);
    MUST(text != NULL);
    n = 0;
    if (kind == 1) {
        strcpy(text, "[databases.a]\nurl = ");
        n = strlen(text);
    }
    if (size) memcpy(text + n, data, size);
    n += size;
    text[n] = '\0';
    if (kind < 2) {
        bool known = false; /* the fuzzer sees what is compared, so it may bring the secret itself */
        for (i = 0; i + 3 <= n; i++) known = known || memcmp(text + i, FUZZ_SECRET, 3) == 0;
        rc = dbm__config_load(&host, "fuzz.ini", text, n, fuzz_types, FUZZ_TYPES, true, &list, &p);
        fuzz_problems(&p, rc);
        MUST(known || !strstr(block, FUZZ_SECRET));
        MUST(rc == DBM_OK || (list.count == 0 && list.items == NULL));
        for (i = 0; i < list.count; i++) fuzz_check(&host, list.items[i]);
        dbm__settings_list_free(&host, &list);
    } else if (kind == 2) {
        /* name, type, url, an option's name and value, each up to a NUL; then raw numbers */
        const char *parts[5];
        char *at = text, *end = text + n;
        memset(&config, 0, sizeof config);
        for (i = 0; i < 5; i++) {
            parts[i] = at;
            at += strlen(at);
            if (at < end) at++;
        }
        config.name = parts[0];
        config.type = parts[1];
        config.url = parts[2];
        option.name = parts[3];
        option.value = parts[4];
        config.options = &option;
        config.option_count = *parts[3] ? 1 : 0;
        n = (size_t)(end - at);
        memcpy(&config.pool, at, n < sizeof config.pool ? n : sizeof config.pool);
        rc = dbm__config_make(&host, &config, fuzz_types, FUZZ_TYPES, &one, &p);
        fuzz_problems(&p, rc);
        MUST((rc == DBM_OK) == (one != NULL));
        if (one) fuzz_check(&host, one);
        dbm__settings_free(&host, one);
    } else {
        char *again;
        n = strlen(text);
        dbm__redact(NULL, text);
        MUST(strlen(text) <= n);
        again = (char *)malloc(n + 1);
        MUST(again != NULL);
        strcpy(again, text);
        dbm__redact(NULL, again); /* once is enough */
        MUST(strcmp(again, text) == 0);
        free(again);
    }
    free(text);
    dbm__host_free(&host);
    return 0;
}

#if defined(FUZZ_REPLAY)
int main(int argc, char **argv) {
    int i;
    for (i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        uint8_t *data = (uint8_t *)malloc(1 << 20);
        size_t n;
        if (!f || !data) return 1;
        n = fread(data, 1, 1 << 20, f);
        (void)fclose(f);
        (void)LLVMFuzzerTestOneInput(data, n);
        free(data);
    }
    return 0;
}
#endif
