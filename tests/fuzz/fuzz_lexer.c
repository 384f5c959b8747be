/* libFuzzer target for sql/lexer.c. The first byte chooses the backend's rules, the second the placeholders; the rest is SQL.
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -I. tests/fuzz/fuzz_lexer.c -lpthread -o fuzz_lexer
 * With -DFUZZ_REPLAY it has a main() of its own that runs the files it is given, for compilers without libFuzzer. */
#define DBM_NO_CONFIG
#define DBM_IMPLEMENTATION
#include "dbm.h"
#include <stdio.h>
#include <stdlib.h>

#define MUST(condition) \
    do { if (!(condition)) { fprintf(stderr, "fuzz_lexer.c:%d: %s\n", __LINE__, #condition); abort(); } } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the rewriter wrote is read back as it was meant. */
static void fuzz_parse(dbm__host *host, const char *sql, size_t size, unsigned bits, dbm_placeholders placeholders,
                       bool named) {
    dbm__parsed p, again;
    int i;
    dbm_status status = dbm__sql_parse(host, sql, size, placeholders, bits, named, "fuzz", "fuzz.c:1", &p);
    if (status != DBM_OK) {
        MUST(status == DBM_E_MISUSE || status == DBM_E_LIMIT);
        MUST(!p.sql && !p.places && !p.names && dbm_last_error()->status == status);
        return;
    }
    MUST(p.sql[p.size] == '\0' && !memchr(p.sql, 0, p.size));
    if (placeholders == DBM_PH_NATIVE) MUST(p.parameters == -1 && p.size == size && !memcmp(p.sql, sql, size));
    else MUST(p.parameters >= 0 && (p.places != NULL) == (named && p.parameters > 0));
    for (i = 0; p.places && i < p.parameters; i++) MUST(p.places[i].size > 0 && p.places[i].name >= p.names);
    if (placeholders == DBM_PH_DOLLAR && !memchr(sql, '?', size)) { /* then nothing was unescaped */
        status = dbm__sql_parse(host, p.sql, p.size, placeholders, bits, false, "fuzz", "fuzz.c:2", &again);
        MUST(status == DBM_OK && again.parameters == p.parameters);
        MUST(again.verb == p.verb && again.several == p.several);
        MUST(again.returning == p.returning && again.random == p.random);
        MUST(again.size == p.size && !memcmp(again.sql, p.sql, p.size));
        dbm__parsed_free(host, &again);
    }
    dbm__parsed_free(host, &p);
}

/* Each step goes on, and what it cuts off is one statement. */
static void fuzz_split(dbm__host *host, const char *sql, size_t size, unsigned bits) {
    size_t at, next, n;
    for (at = 0; at < size; at += next) {
        dbm__parsed p;
        n = dbm__sql_statement_end(sql + at, size - at, bits, &next);
        MUST(next > 0 && next <= size - at && n <= next);
        MUST(dbm__sql_line(sql, at) >= 1);
        if (!n || dbm__sql_parse(host, sql + at, n, DBM_PH_QUESTION, bits, false, "", "", &p) != DBM_OK) continue;
        MUST(!p.several);
        dbm__parsed_free(host, &p);
    }
}

static void fuzz_ident(const char *sql, size_t size) {
    char name[32], block[80];
    size_t n = size < sizeof name - 1 ? size : sizeof name - 1, i, k = 0;
    if (n) memcpy(name, sql, n);
    name[n] = '\0';
    if (dbm__sql_ident(block, sizeof block, name, '"') != DBM_OK) {
        MUST(!name[0] && !block[0]);
        return;
    }
    MUST(block[0] == '"');
    for (i = 1; name[k]; i++, k++) {
        MUST(block[i] == name[k]);
        if (name[k] == '"') MUST(block[++i] == '"');
    }
    MUST(block[i] == '"' && !block[i + 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const unsigned backends[] = {
        0, DBM_LEX_BRACKETS | DBM_LEX_BACKTICKS, DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING,
        DBM_LEX_BACKSLASH | DBM_LEX_HASH | DBM_LEX_BACKTICKS | DBM_LEX_DASH_SPACE
    };
    dbm__host host;
    unsigned bits;
    char *sql;
    if (size < 2 || dbm__host_init(&host, NULL) != DBM_OK) return 0;
    bits = data[0] < 128 ? backends[data[0] & 3u] : (data[0] & 127u) * 2u + (data[1] >> 7);
    sql = (char *)malloc(size - 2 ? size - 2 : 1); /* exactly so long: a read beyond it is seen */
    if (sql) {
        if (size > 2) memcpy(sql, data + 2, size - 2);
        fuzz_parse(&host, sql, size - 2, bits, (dbm_placeholders)(data[1] % 3u), (data[1] & 64u) != 0);
        fuzz_split(&host, sql, size - 2, bits);
        fuzz_ident(sql, size - 2);
    }
    free(sql);
    dbm__host_free(&host);
    return 0;
}

#if defined(FUZZ_REPLAY)
int main(int argc, char **argv) {
    static uint8_t data[1 << 20];
    int i;
    for (i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        if (!f) return 1;
        (void)LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, f));
        fclose(f);
    }
    return 0;
}
#endif
