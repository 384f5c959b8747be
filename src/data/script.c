/* Scripts: many statements in one text, run one after the other until one fails.
 * May call: the public calls of session/, sql/'s lexer, base/.
 * Must not know: what a statement does. Where one ends is the lexer's to say. */
#include "data.h"

typedef struct dbm__script_call { const char *site, *sql; size_t size; } dbm__script_call;

static bool dbm__script_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where the first word of a statement is, behind blanks and comments. What looks like a comment is one if the lexer, shown nothing
 * else, finds no statement in it. */
static size_t dbm__script_first(const char *sql, size_t size, unsigned lexer) {
    size_t i = 0, end, next;
    for (;;) {
        while (i < size && dbm__script_blank(sql[i])) i++;
        if (i + 1 < size && sql[i] == '/' && sql[i + 1] == '*') { /* it may hold others: the first end need not be its own */
            for (end = i + 4; end <= size; end++) {
                if (sql[end - 2] == '*' && sql[end - 1] == '/' && dbm__sql_statement_end(sql + i, end - i, lexer, &next) == 0) break;
            }
        } else if (i < size && (sql[i] == '-' || sql[i] == '#')) {
            for (end = i; end < size && sql[end] != '\n'; end++) { }
            if (dbm__sql_statement_end(sql + i, end - i, lexer, &next) != 0) return i;
        } else {
            return i;
        }
        if (end > size) return i;
        i = end;
    }
}

static dbm_status dbm__script_run(dbm_session *s, void *ud) {
    const dbm__script_call *call = (const dbm__script_call *)ud;
    unsigned lexer = dbm__on_database(s)->adapter->lexer;
    dbm__host *host = dbm__on_host(s);
    dbm_status st = dbm_status_of(s);
    size_t at = 0, next = 0;
    char *text, place[48];
    if (st != DBM_OK) return dbm__execv(s, call->site, "", NULL, 0); /* failed before: that failure again, without a line */
    text = dbm__copy_text(host, call->sql, call->size); /* it may be the row's in hand, which the first statement ends */
    if (text == NULL) return dbm__on_fail(s, DBM_E_NOMEM, call->site, "out of memory");
    while (st == DBM_OK && at < call->size) {
        size_t size = dbm__sql_statement_end(text + at, call->size - at, lexer, &next), first = at;
        char after;
        at += next;
        if (!size) continue; /* nothing but blanks and comments */
        while (dbm__script_blank(text[first])) { first++; size--; }
        after = text[first + size];
        text[first + size] = 0;
        st = dbm__execv(s, call->site, text + first, NULL, 0);
        text[first + size] = after;
        if (st != DBM_OK) {
            first += dbm__script_first(text + first, size, lexer);
            dbm__format(place, sizeof place, "line %d of the script: ", dbm__sql_line(text, first));
            st = dbm__failure_place(s, st, place);
        }
    }
    dbm__free(host, text);
    return st;
}

DBM__DEF dbm_status dbm__script(dbm_session *on, const char *site, const char *sql) {
    dbm__script_call call;
    if (!dbm__on_database(on)) return dbm__session_bad(on, site);
    if (!sql) return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_script: the text is NULL");
    call.site = site;
    call.sql = sql;
    call.size = strlen(sql);
    return dbm__on_group(on, site, dbm__script_run, &call);
}
