/* Scripts: many statements in one text, run one after the other until one fails.
 * May call: the public calls of session/, sql/'s lexer, base/.
 * Must not know: what a statement does. Where one ends is the lexer's to say. */
#include "data.h"

typedef struct dbm__script_call { const char *site, *sql; size_t size; } dbm__script_call;

/* The line of the statement that begins, with its blanks and comments, at `from` and has `size` bytes. Lines at its beginning that
 * are nothing but blanks and comments do not count; only the lexer knows which those are. */
static int dbm__script_line(const char *sql, size_t from, size_t size, unsigned lexer) {
    size_t i, first = from, next;
    for (i = from; i < from + size; i++) {
        if (sql[i] == '\n' && dbm__sql_statement_end(sql + from, i - from, lexer, &next) == 0) first = i + 1;
    }
    return dbm__sql_line(sql, first);
}

/* Says where in the script the failure arose: in the session's sticky failure and in this thread's last one, which is the same. */
static DBM__NOINLINE void dbm__script_place(dbm_session *s, int line) {
    dbm_error_info *last = &dbm__self()->last;
    dbm__work *w = dbm__work_of(s);
    char message[sizeof last->message];
    dbm__format(message, sizeof message, "line %d of the script: %s", line, last->message);
    dbm__copy_cut(last->message, sizeof last->message, message);
    if (w && w->top->sticky != DBM_OK) dbm__copy_cut(w->top->error.message, sizeof w->top->error.message, message);
}

static bool dbm__script_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static dbm_status dbm__script_run(dbm_session *s, void *ud) {
    const dbm__script_call *call = (const dbm__script_call *)ud;
    unsigned lexer = dbm__on_database(s)->adapter->lexer;
    dbm__host *host = dbm__on_host(s);
    dbm_status st = dbm_status_of(s);
    size_t at = 0, next = 0, capacity = 0;
    char *statement = NULL;
    if (st != DBM_OK) return dbm__execv(s, call->site, "", NULL, 0); /* failed before: that failure again, without a line */
    while (st == DBM_OK && at < call->size) {
        size_t size = dbm__sql_statement_end(call->sql + at, call->size - at, lexer, &next), first = at;
        at += next;
        if (!size) continue; /* nothing but blanks and comments */
        while (dbm__script_blank(call->sql[first])) { first++; size--; }
        if (size >= capacity) {
            char *more = size < SIZE_MAX / 4 ? (char *)dbm__resize(host, statement, size + size / 2 + 1) : NULL;
            if (!more) {
                st = dbm__on_fail(s, DBM_E_NOMEM, call->site, "out of memory");
                break;
            }
            statement = more;
            capacity = size + size / 2 + 1;
        }
        memcpy(statement, call->sql + first, size);
        statement[size] = 0;
        st = dbm__execv(s, call->site, statement, NULL, 0);
        if (st != DBM_OK) dbm__script_place(s, dbm__script_line(call->sql, first, size, lexer));
    }
    dbm__free(host, statement);
    return st;
}

DBM__DEF dbm_status dbm__script(dbm_session *on, const char *site, const char *sql) {
    dbm__script_call call;
    if (!dbm__on_database(on)) {
        dbm_status st = dbm__execv(on, site, "", NULL, 0);
        return st != DBM_OK ? st : dbm__fail_null("the session or database is NULL");
    }
    if (!sql) return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_script: the text is NULL");
    call.site = site;
    call.sql = sql;
    call.size = strlen(sql);
    return dbm__on_group(on, site, dbm__script_run, &call);
}
