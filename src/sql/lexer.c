/* Reads SQL as far as dbm.h must: tokens by the backend's rules, and from them placeholders, the verb, the end of a statement.
 * May call: api/, base/.
 * Must not know: sessions, caches, connections, and what a statement means beyond its first words. */
#include "lexer.h"

/* One reader makes tokens; three listeners are fed with them: the splitter (where does a statement end), the classifier (what
 * does it do) and the rewriter (placeholders). No byte is looked at more than a few times, nothing recurses, and every word
 * is known by a small number, its code. */

/* ---- words --------------------------------------------------------------------------------------------------------- */

/* The words that matter, in ASCII order, and what each says as a statement's first one. */
#define DBM__KW_LIST(X) \
    X(ABORT, TRANSACTION) X(ALTER, SCHEMA) X(ANALYSE, SCHEMA) X(ANALYZE, SCHEMA) X(ATOMIC, OTHER) X(ATTACH, STATE) \
    X(BEGIN, TRANSACTION) X(CLOSE, STATE) X(CLUSTER, SCHEMA) X(COMMENT, SCHEMA) X(COMMIT, TRANSACTION) X(CONSTRAINTS, OTHER) \
    X(COPY, WRITE) X(CREATE, SCHEMA) X(DATA, OTHER) X(DEALLOCATE, STATE) X(DECLARE, STATE) X(DELETE, WRITE) X(DESC, READ) \
    X(DESCRIBE, READ) X(DETACH, STATE) X(DISCARD, STATE) X(DROP, SCHEMA) X(END, TRANSACTION) X(EVENT, OTHER) X(EXPLAIN, READ) \
    X(FETCH, READ) X(FOR, OTHER) X(FORMAT, OTHER) X(FUNCTION, OTHER) X(GET_LOCK, OTHER) X(GRANT, SCHEMA) X(IN, OTHER) \
    X(INDEX, OTHER) X(INSERT, WRITE) X(INTO, OTHER) X(KEY, OTHER) X(LISTEN, STATE) X(LOAD, STATE) X(LOCAL, OTHER) X(LOCK, STATE) \
    X(MERGE, WRITE) X(MOVE, READ) X(NO, OTHER) X(NOT, OTHER) X(NOTIFY, WRITE) X(OPTIMIZE, SCHEMA) X(PG_ADVISORY_LOCK, OTHER) \
    X(PG_ADVISORY_LOCK_SHARED, OTHER) X(PG_TEMP, OTHER) X(PG_TRY_ADVISORY_LOCK, OTHER) X(PG_TRY_ADVISORY_LOCK_SHARED, OTHER) \
    X(PRAGMA, READ) X(PREPARE, STATE) X(PROCEDURE, OTHER) X(RANDOM, OTHER) X(RANDOMBLOB, OTHER) X(RECURSIVE, OTHER) \
    X(REFRESH, SCHEMA) X(REINDEX, SCHEMA) X(RELEASE, TRANSACTION) X(RENAME, SCHEMA) X(REPLACE, WRITE) X(RESET, STATE) \
    X(RETURNING, OTHER) X(REVOKE, SCHEMA) X(ROLLBACK, TRANSACTION) X(SAVEPOINT, TRANSACTION) X(SELECT, READ) X(SET, STATE) \
    X(SET_CONFIG, OTHER) X(SHARE, OTHER) X(SHOW, READ) X(START, TRANSACTION) X(TABLE, READ) X(TEMP, OTHER) X(TEMPORARY, OTHER) \
    X(TRANSACTION, OTHER) X(TRIGGER, OTHER) X(TRUNCATE, SCHEMA) X(UNLISTEN, STATE) X(UNLOCK, STATE) X(UPDATE, WRITE) \
    X(USE, STATE) X(VACUUM, SCHEMA) X(VALUES, READ) X(VIEW, OTHER) X(WAL, OTHER) X(WITH, OTHER) X(XA, TRANSACTION) X(XML, OTHER)

enum {
    DBM__KW_NONE = 0,
#define DBM__KW_ENUM(word, verb) DBM__KW_##word,
    DBM__KW_LIST(DBM__KW_ENUM)
#undef DBM__KW_ENUM
    DBM__KW_COUNT
};

static const struct { const char *word; dbm__verb verb; } dbm__kw_table[DBM__KW_COUNT] = {
    { "", DBM__VERB_OTHER },
#define DBM__KW_ROW(word, verb) { #word, DBM__VERB_##verb },
    DBM__KW_LIST(DBM__KW_ROW)
#undef DBM__KW_ROW
};

/* A token's code: a word's number, 256 + the byte of a sign, or of a quoted text 512 + the number of the word inside. */
#define DBM__CODE_VALUE 255
#define DBM__CODE_SIGN(c) (256 + (int)(unsigned char)(c))
#define DBM__CODE_QUOTED 512

static int dbm__lex_upper(char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : (int)(unsigned char)c; }

/* < 0, 0, > 0 as the word comes before, is, or comes after `name`, which is in capitals. */
static int dbm__lex_compare(const char *word, size_t size, const char *name) {
    size_t i;
    for (i = 0; i < size; i++) {
        int d = dbm__lex_upper(word[i]) - (int)(unsigned char)name[i];
        if (d || !name[i]) return d ? d : 1;
    }
    return name[size] ? -1 : 0;
}

static int dbm__lex_code(const char *word, size_t size) {
    int low = 1, high = DBM__KW_COUNT - 1;
    while (low <= high) {
        int middle = (low + high) / 2, d = dbm__lex_compare(word, size, dbm__kw_table[middle].word);
        if (!d) return middle;
        if (d < 0) high = middle - 1;
        else low = middle + 1;
    }
    return DBM__KW_NONE;
}

/* Whether a word is in a list of words in capitals, each followed by a blank. */
static bool dbm__lex_in(const char *list, const char *word, size_t size) {
    while (*list) {
        size_t n = strcspn(list, " "), i = 0;
        while (i < n && i < size && dbm__lex_upper(word[i]) == (int)(unsigned char)list[i]) i++;
        if (i == n && i == size) return true;
        list += n + 1;
    }
    return false;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static bool dbm__lex_is_digit(char c) { return c >= '0' && c <= '9'; }
static bool dbm__lex_is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool dbm__lex_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || ((unsigned char)c & 0x80u);
}
static bool dbm__lex_is_name(char c) { return dbm__lex_is_letter(c) || dbm__lex_is_digit(c); }
/* What would join a placeholder that stands directly beside it. */
static bool dbm__lex_is_word(char c) { return dbm__lex_is_name(c) || c == '$'; }

static size_t dbm__lex_name_end(const char *s, size_t n, size_t i) {
    while (i < n && dbm__lex_is_name(s[i])) i++;
    return i;
}

/* ---- quotes and comments: each takes the place after what opened it, and gives the one after what closes it, or 0 -------- */

static size_t dbm__lex_quoted(const char *s, size_t n, size_t i, char quote, bool backslash) {
    for (; i < n; i++) {
        if (s[i] == quote) {
            if (i + 1 >= n || s[i + 1] != quote) return i + 1;
            i++;
        } else if (backslash && s[i] == '\\') {
            i++;
        }
    }
    return 0;
}

/* E'...' of PostgreSQL. A text that follows after a line break belongs to it, so its backslashes escape too. */
static size_t dbm__lex_estring(const char *s, size_t n, size_t i) {
    for (;;) {
        size_t end = dbm__lex_quoted(s, n, i, '\'', true);
        bool line = false;
        if (!end) return 0;
        for (i = end; i < n; i++) {
            if (s[i] == '\n' || s[i] == '\r') line = true;
            else if (s[i] == '-' && i + 1 < n && s[i + 1] == '-') {
                while (i + 1 < n && s[i + 1] != '\n' && s[i + 1] != '\r') i++;
            } else if (!dbm__lex_is_blank(s[i])) break;
        }
        if (!line || i >= n || s[i] != '\'') return end;
        i++;
    }
}

static size_t dbm__lex_comment(const char *s, size_t n, size_t i, bool nested) {
    size_t depth = 1;
    for (; i + 1 < n; i++) {
        if (s[i] == '*' && s[i + 1] == '/') {
            i++;
            if (!--depth) return i + 1;
        } else if (nested && s[i] == '/' && s[i + 1] == '*') {
            i++;
            depth++;
        }
    }
    return 0;
}

/* $tag$ ... $tag$; i is at its first $. SIZE_MAX: this is not one. No tag holds a $, so a comparison that fails never goes
 * past the next $ of the text, and all of them together look at each byte once. */
static size_t dbm__lex_dollar(const char *s, size_t n, size_t i) {
    size_t tag, end = i + 1, at, k;
    if (end < n && dbm__lex_is_digit(s[end])) return SIZE_MAX;
    end = dbm__lex_name_end(s, n, end);
    if (end >= n || s[end] != '$') return SIZE_MAX;
    tag = end + 1 - i;
    for (at = end + 1; n - at >= tag; at++) {
        const void *found = memchr(s + at, '$', n - at);
        if (!found) return 0;
        at = (size_t)((const char *)found - s);
        if (n - at < tag) return 0;
        for (k = 1; k < tag && s[at + k] == s[i + k]; k++) { }
        if (k == tag) return at + tag;
    }
    return 0;
}

/* ---- tokens -------------------------------------------------------------------------------------------------------- */

typedef enum dbm__token {
    DBM__TOKEN_END = 0,
    DBM__TOKEN_BLANK,    /* blanks, or a comment */
    DBM__TOKEN_WORD,
    DBM__TOKEN_VALUE,    /* a number, or a variable of the backend's own: @x, $x */
    DBM__TOKEN_QUOTED,
    DBM__TOKEN_MARK,     /* ? */
    DBM__TOKEN_ESCAPED,  /* ?? */
    DBM__TOKEN_NUMBERED, /* $1 */
    DBM__TOKEN_NAMED,    /* :name */
    DBM__TOKEN_SIGN,     /* any other byte; :: and := are one */
    DBM__TOKEN_OPEN      /* a quote or comment that begins at `start` and is not closed: the last token */
} dbm__token;

typedef struct dbm__lex {
    const char *sql;
    size_t size, start, at;  /* the token in hand is sql[start..at) */
    size_t conditional;      /* MySQL: 1 + where the open conditional comment begins; 0: none */
    unsigned bits;           /* DBM_LEX_... */
    bool mysql;              /* what has no bit of its own: conditional comments, blocks inside blocks */
    dbm__token token;
    int code, previous;      /* of the token in hand and of the one before it; blanks have none */
} dbm__lex;

static void dbm__lex_begin(dbm__lex *x, const char *sql, size_t size, unsigned bits) {
    const unsigned mysql = DBM_LEX_HASH | DBM_LEX_DASH_SPACE;
    memset(x, 0, sizeof *x);
    x->sql = sql;
    x->size = size;
    x->bits = bits;
    x->mysql = (bits & mysql) == mysql;
}

/* Whether the token in hand is one of these words, in capitals, a blank behind each. After a dot it is a name, and none of them. */
static bool dbm__lex_is(const dbm__lex *x, const char *words) {
    return x->token == DBM__TOKEN_WORD && x->previous != DBM__CODE_SIGN('.') && dbm__lex_in(words, x->sql + x->start, x->at - x->start);
}

/* A token that takes all up to `end`; 0: it is not closed. */
static void dbm__lex_take(dbm__lex *x, dbm__token token, size_t end) {
    x->token = end ? token : DBM__TOKEN_OPEN;
    x->at = end ? end : x->size;
}

/* Blanks and comments, if one begins here. */
static bool dbm__lex_blank(dbm__lex *x) {
    const char *s = x->sql;
    size_t n = x->size, i = x->start, left = n - i;
    char next = 0;
    if (left > 1) next = s[i + 1];
    if (dbm__lex_is_blank(s[i])) {
        while (i < n && dbm__lex_is_blank(s[i])) i++;
    } else if ((s[i] == '#' && (x->bits & DBM_LEX_HASH)) || (s[i] == '-' && next == '-')) {
        /* MySQL reads 5--3 as 5 - -3: there a blank, a control byte or the end must follow. */
        if (s[i] == '-' && (x->bits & DBM_LEX_DASH_SPACE) && left > 2 && (unsigned char)s[i + 2] > ' ' && s[i + 2] != 0x7F) {
            return false;
        }
        while (i < n && s[i] != '\n' && !(s[i] == '\r' && (x->bits & DBM_LEX_DOLLAR))) i++; /* PostgreSQL: at a lone CR too */
    } else if (s[i] == '/' && next == '*') {
        size_t mark = left > 3 && s[i + 2] == 'M' ? 3 : 2;
        if (x->mysql && !x->conditional && left > mark && s[i + mark] == '!') { /* code, for servers from that version on */
            x->conditional = i + 1;
            i += mark + 1;
            while (i < n && dbm__lex_is_digit(s[i])) i++;
        } else {
            i = dbm__lex_comment(s, n, i + 2, (x->bits & DBM_LEX_NESTED) != 0);
        }
    } else if (s[i] == '*' && next == '/' && x->conditional) {
        x->conditional = 0;
        i += 2;
    } else if (left >= 3 && memcmp(s + i, "\xEF\xBB\xBF", 3) == 0) { /* a byte order mark */
        i += 3;
    } else {
        return false;
    }
    dbm__lex_take(x, DBM__TOKEN_BLANK, i);
    return true;
}

/* The token that begins at x->at. */
static void dbm__lex_next(dbm__lex *x) {
    const char *s = x->sql;
    size_t n = x->size, i = x->at, end;
    bool backslash = (x->bits & DBM_LEX_BACKSLASH) != 0;
    char c, next;
    x->start = i;
    if (i >= n) {
        x->token = x->conditional ? DBM__TOKEN_OPEN : DBM__TOKEN_END;
        if (x->conditional) x->start = x->conditional - 1;
        return;
    }
    if (dbm__lex_blank(x)) return;
    c = s[i];
    next = 0;
    if (i + 1 < n) next = s[i + 1];
    x->previous = x->code;
    x->code = DBM__CODE_SIGN(c);
    if (dbm__lex_is_letter(c)) {
        end = i + 1;
        while (end < n && dbm__lex_is_word(s[end])) end++;
        if (end == i + 1 && next == '\'' && (c == 'e' || c == 'E') && (x->bits & DBM_LEX_ESTRING)) {
            x->code = DBM__CODE_QUOTED;
            dbm__lex_take(x, DBM__TOKEN_QUOTED, dbm__lex_estring(s, n, i + 2));
        } else { /* after a dot every word is a name */
            x->code = x->previous == DBM__CODE_SIGN('.') ? (int)DBM__KW_NONE : dbm__lex_code(s + i, end - i);
            dbm__lex_take(x, DBM__TOKEN_WORD, end);
        }
    } else if (dbm__lex_is_digit(c)) {
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, DBM__TOKEN_VALUE, dbm__lex_name_end(s, n, i + 1));
    } else if (c == '\'' || c == '"' || (c == '`' && (x->bits & DBM_LEX_BACKTICKS)) || (c == '[' && (x->bits & DBM_LEX_BRACKETS))) {
        if (c == '[') {
            const void *found = memchr(s + i + 1, ']', n - i - 1);
            end = found ? (size_t)((const char *)found - s) + 1 : 0;
        } else {
            end = dbm__lex_quoted(s, n, i + 1, c, backslash && c != '`');
        }
        x->code = DBM__CODE_QUOTED + (end ? dbm__lex_code(s + i + 1, end - i - 2) : 0);
        dbm__lex_take(x, DBM__TOKEN_QUOTED, end);
    } else if (c == '?') {
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, next == '?' ? DBM__TOKEN_ESCAPED : DBM__TOKEN_MARK, next == '?' ? i + 2 : i + 1);
    } else if (c == '$') {
        end = (x->bits & DBM_LEX_DOLLAR) ? dbm__lex_dollar(s, n, i) : SIZE_MAX;
        x->code = DBM__CODE_VALUE;
        if (end != SIZE_MAX) dbm__lex_take(x, DBM__TOKEN_QUOTED, end);
        else if (dbm__lex_is_digit(next)) {
            for (end = i + 1; end < n && dbm__lex_is_digit(s[end]); end++) { }
            dbm__lex_take(x, DBM__TOKEN_NUMBERED, end);
        } else dbm__lex_take(x, DBM__TOKEN_VALUE, dbm__lex_name_end(s, n, i + 1));
    } else if (c == '@') {
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, DBM__TOKEN_VALUE, dbm__lex_name_end(s, n, i + 1));
    } else if (c == ':' && dbm__lex_is_letter(next) && (i == 0 || !dbm__lex_is_word(s[i - 1]))) { /* a[low:high] is a slice */
        x->code = DBM__CODE_VALUE;
        dbm__lex_take(x, DBM__TOKEN_NAMED, dbm__lex_name_end(s, n, i + 1));
    } else {
        dbm__lex_take(x, DBM__TOKEN_SIGN, c == ':' && (next == ':' || next == '=') ? i + 2 : i + 1);
    }
}

DBM__FN const char *dbm__sql_word(const char *sql, size_t size, unsigned lexer, size_t *at, int *depth, size_t *length) {
    dbm__lex x;
    dbm__lex_begin(&x, sql, size, lexer);
    x.at = *at;
    do {
        dbm__lex_next(&x);
        if (x.code == DBM__CODE_SIGN('(') && x.token == DBM__TOKEN_SIGN) ++*depth;
        if (x.code == DBM__CODE_SIGN(')') && x.token == DBM__TOKEN_SIGN) --*depth;
    } while (x.token != DBM__TOKEN_WORD && x.token != DBM__TOKEN_END && x.token != DBM__TOKEN_OPEN);
    *at = x.at;
    *length = x.at - x.start;
    return x.token == DBM__TOKEN_WORD ? sql + x.start : NULL;
}

DBM__FN bool dbm__sql_begins(const char *sql, size_t size, unsigned lexer, const char *words) {
    size_t at = 0, length;
    int depth = 0;
    const char *word = dbm__sql_word(sql, size, lexer, &at, &depth, &length);
    return word != NULL && dbm__lex_in(words, word, length);
}

DBM__FN bool dbm__sql_calls(const char *sql, size_t size, unsigned lexer, const char *words) {
    dbm__lex x;
    bool named = false;
    dbm__lex_begin(&x, sql, size, lexer);
    for (dbm__lex_next(&x); x.token != DBM__TOKEN_END && x.token != DBM__TOKEN_OPEN; dbm__lex_next(&x)) {
        size_t quote = x.token == DBM__TOKEN_QUOTED ? 1 : 0; /* "random"() calls it too */
        if (x.token == DBM__TOKEN_BLANK) continue;
        if (named && x.code == DBM__CODE_SIGN('(')) return true;
        named = (quote || x.token == DBM__TOKEN_WORD) && dbm__lex_in(words, sql + x.start + quote, x.at - x.start - 2 * quote);
    }
    return false;
}

/* ---- where a statement ends ---------------------------------------------------------------------------------------- */

/* Which words may still open a body, whose `;` do not end the statement. */
typedef enum dbm__split_state {
    DBM__SPLIT_FIRST = 0,  /* before CREATE */
    DBM__SPLIT_CREATE,     /* between CREATE and TRIGGER */
    DBM__SPLIT_DEFINER,    /* the same, with a user's name between */
    DBM__SPLIT_HEAD,       /* BEGIN opens the body */
    DBM__SPLIT_HEAD_ATOMIC,/* BEGIN ATOMIC does */
    DBM__SPLIT_BODY,
    DBM__SPLIT_PLAIN       /* no body can follow */
} dbm__split_state;

typedef struct dbm__split {
    dbm__split_state state;
    size_t depth;   /* open parentheses */
    size_t blocks;  /* open BEGINs */
    bool ended;     /* the token before was an END that closed a block */
} dbm__split;

static dbm__split_state dbm__split_kind(const dbm__lex *x, dbm__split_state otherwise) {
    switch (x->code) {
    case DBM__KW_TRIGGER: return (x->bits & DBM_LEX_DOLLAR) ? DBM__SPLIT_PLAIN : DBM__SPLIT_HEAD;
    case DBM__KW_FUNCTION:
    case DBM__KW_PROCEDURE: return x->mysql ? DBM__SPLIT_HEAD : DBM__SPLIT_HEAD_ATOMIC;
    case DBM__KW_EVENT: return x->mysql ? DBM__SPLIT_HEAD : DBM__SPLIT_PLAIN;
    case DBM__KW_VIEW: return DBM__SPLIT_PLAIN;
    default: return otherwise;
    }
}

/* Inside a body. An END closes only where a statement begins: that tells it from the END of a CASE and, in SQLite, from a
 * column of this name. BEGIN counts only where blocks nest; elsewhere it is a name. */
static void dbm__split_body(dbm__split *p, const dbm__lex *x) {
    bool ended = p->ended;
    p->ended = false;
    if (ended && x->mysql && dbm__lex_is(x, "IF LOOP WHILE REPEAT CASE FOR ")) {
        p->blocks++; /* it was END IF */
    } else if (x->code == DBM__KW_END && p->blocks && (x->previous == DBM__CODE_SIGN(';') || x->previous == DBM__KW_BEGIN || x->previous == DBM__KW_ATOMIC)) {
        p->blocks--;
        p->ended = true;
    } else if (x->code == DBM__KW_BEGIN && x->mysql) {
        p->blocks++;
    }
}

/* Hears every token but blanks; true: this `;` ends the statement. */
static bool dbm__split_feed(dbm__split *p, const dbm__lex *x) {
    if (x->code == DBM__CODE_SIGN('(')) p->depth++;
    else if (x->code == DBM__CODE_SIGN(')') && p->depth) p->depth--;
    else if (x->code == DBM__CODE_SIGN(';') && !p->depth && !p->blocks && !x->conditional) return true;
    switch (p->state) {
    case DBM__SPLIT_FIRST:
        if (x->code == DBM__KW_CREATE) p->state = DBM__SPLIT_CREATE;
        else if (!dbm__lex_is(x, "EXPLAIN QUERY PLAN ")) p->state = DBM__SPLIT_PLAIN;
        break;
    case DBM__SPLIT_CREATE:
        if (dbm__lex_is(x, "DEFINER AGGREGATE ")) p->state = DBM__SPLIT_DEFINER;
        else if (!dbm__lex_is(x, "OR REPLACE TEMP TEMPORARY ")) p->state = dbm__split_kind(x, DBM__SPLIT_PLAIN);
        break;
    case DBM__SPLIT_DEFINER:
        p->state = dbm__split_kind(x, DBM__SPLIT_DEFINER);
        break;
    case DBM__SPLIT_HEAD:
    case DBM__SPLIT_HEAD_ATOMIC:
        if (x->code == (p->state == DBM__SPLIT_HEAD ? DBM__KW_BEGIN : DBM__KW_ATOMIC) && (p->state == DBM__SPLIT_HEAD || x->previous == DBM__KW_BEGIN)) {
            p->state = DBM__SPLIT_BODY;
            p->blocks = 1;
        }
        break;
    case DBM__SPLIT_BODY:
        dbm__split_body(p, x);
        break;
    case DBM__SPLIT_PLAIN:
        break;
    }
    return false;
}

DBM__FN size_t dbm__sql_statement_end(const char *sql, size_t size, unsigned lexer, size_t *next) {
    dbm__lex x;
    dbm__split split;
    bool any = false;
    dbm__lex_begin(&x, sql, size, lexer);
    memset(&split, 0, sizeof split);
    for (;;) {
        dbm__lex_next(&x);
        switch (x.token) {
        case DBM__TOKEN_BLANK:
            break;
        case DBM__TOKEN_OPEN:
            any = true; /* to be refused, not to be skipped */
            /* fall through */
        case DBM__TOKEN_END:
            *next = size;
            return any ? size : 0;
        case DBM__TOKEN_WORD: case DBM__TOKEN_VALUE: case DBM__TOKEN_QUOTED: case DBM__TOKEN_MARK: case DBM__TOKEN_ESCAPED:
        case DBM__TOKEN_NUMBERED: case DBM__TOKEN_NAMED: case DBM__TOKEN_SIGN:
            if (dbm__split_feed(&split, &x)) {
                *next = x.at;
                return any ? x.start : 0;
            }
            any = true;
            break;
        }
    }
}

/* ---- what a statement does ----------------------------------------------------------------------------------------- */

typedef enum dbm__verb_state {
    DBM__VERBS_FIRST = 0,    /* before the first word */
    DBM__VERBS_SECOND,       /* the second word decides */
    DBM__VERBS_SELECT,       /* looks for INTO and FOR UPDATE */
    DBM__VERBS_WITH,         /* looks for the main verb, and for writing ones inside */
    DBM__VERBS_EXPLAIN,      /* looks for ANALYZE and the verb that is explained */
    DBM__VERBS_ANALYZE,      /* MariaDB's ANALYZE SELECT, or one of tables */
    DBM__VERBS_CREATE,       /* CREATE, DROP or ALTER, and the words up to the kind of object */
    DBM__VERBS_CREATE_NAME,  /* up to its name */
    DBM__VERBS_CREATE_TEMP,  /* after the word TEMP where the name should be: a dot makes it a schema */
    DBM__VERBS_PRAGMA,
    DBM__VERBS_PRAGMA_VALUE, /* journal_mode = here */
    DBM__VERBS_DONE
} dbm__verb_state;

/* How far a locking clause has come: FOR UPDATE, FOR SHARE, FOR NO KEY UPDATE, FOR KEY SHARE, LOCK IN SHARE MODE. */
enum { DBM__LOCKS_NONE = 0, DBM__LOCKS_FOR, DBM__LOCKS_NO, DBM__LOCKS_KEY, DBM__LOCKS_LOCK, DBM__LOCKS_IN };

typedef struct dbm__classify {
    dbm__verb_state state;
    dbm__verb verb;
    int first;            /* code of the first word */
    size_t depth, base;   /* open parentheses: now, and around the statement itself */
    int locks;
    bool analyze;         /* EXPLAIN ANALYZE */
    bool writes;          /* a SELECT that writes or locks rows */
    bool connection;      /* a SELECT that leaves something behind in the connection */
    const char *pragma;
    size_t pragma_size;
} dbm__classify;

/* Pragmas of SQLite. With a value they change the connection, but for these: */
static const char dbm__pragma_reads[] =
    "TABLE_INFO TABLE_XINFO TABLE_LIST INDEX_LIST INDEX_INFO INDEX_XINFO FOREIGN_KEY_LIST FOREIGN_KEY_CHECK INTEGRITY_CHECK "
    "QUICK_CHECK COMPILE_OPTIONS COLLATION_LIST DATABASE_LIST FUNCTION_LIST MODULE_LIST PRAGMA_LIST DATA_VERSION "
    "FREELIST_COUNT PAGE_COUNT ";
/* they change the file, for everybody and for ever, which a reset of the connection neither can nor should undo: */
static const char dbm__pragma_writes[] =
    "USER_VERSION APPLICATION_ID SCHEMA_VERSION AUTO_VACUUM ENCODING PAGE_SIZE DEFAULT_CACHE_SIZE ";
/* and these do so without a value too. */
static const char dbm__pragma_acts[] = "WAL_CHECKPOINT INCREMENTAL_VACUUM OPTIMIZE ";

static void dbm__classify_done(dbm__classify *v, dbm__verb verb) {
    v->verb = verb;
    v->state = DBM__VERBS_DONE;
}

static void dbm__classify_first(dbm__classify *v, const dbm__lex *x) {
    if (x->code == DBM__CODE_SIGN('(')) { /* (SELECT ...) UNION ... */
        v->base = v->depth;
        return;
    }
    if (x->token != DBM__TOKEN_WORD) {
        dbm__classify_done(v, DBM__VERB_OTHER);
        return;
    }
    v->verb = dbm__kw_table[x->code].verb;
    v->first = x->code;
    switch (x->code) {
    case DBM__KW_SELECT: case DBM__KW_VALUES: case DBM__KW_TABLE: v->state = DBM__VERBS_SELECT; break;
    case DBM__KW_WITH: v->state = DBM__VERBS_WITH; break;
    case DBM__KW_EXPLAIN: case DBM__KW_DESCRIBE: case DBM__KW_DESC: v->state = DBM__VERBS_EXPLAIN; break;
    case DBM__KW_ANALYZE: case DBM__KW_ANALYSE: v->state = DBM__VERBS_ANALYZE; break;
    case DBM__KW_CREATE: case DBM__KW_DROP: case DBM__KW_ALTER: v->state = DBM__VERBS_CREATE; break;
    case DBM__KW_PRAGMA: v->state = DBM__VERBS_PRAGMA; break;
    case DBM__KW_SET: case DBM__KW_START: case DBM__KW_PREPARE: case DBM__KW_LOAD: case DBM__KW_BEGIN:
        v->state = DBM__VERBS_SECOND;
        break;
    default: v->state = DBM__VERBS_DONE; break;
    }
}

static void dbm__classify_second(dbm__classify *v, const dbm__lex *x) {
    dbm__verb verb = v->verb;
    switch (v->first) {
    case DBM__KW_SET: /* PostgreSQL's LOCAL ends with the transaction; MySQL's does not */
        if ((x->bits & DBM_LEX_DOLLAR) && (x->code == DBM__KW_LOCAL || x->code == DBM__KW_CONSTRAINTS || x->code == DBM__KW_TRANSACTION)) {
            verb = DBM__VERB_READ;
        }
        break;
    case DBM__KW_START: /* not START REPLICA */
        if (x->code != DBM__KW_TRANSACTION) verb = DBM__VERB_OTHER;
        break;
    case DBM__KW_BEGIN: /* not MariaDB's block, BEGIN NOT ATOMIC */
        if (x->code == DBM__KW_NOT) verb = DBM__VERB_OTHER;
        break;
    case DBM__KW_PREPARE: /* of two-phase commit */
        if (x->code == DBM__KW_TRANSACTION) verb = DBM__VERB_TRANSACTION;
        break;
    case DBM__KW_LOAD: /* MySQL's into a table; PostgreSQL's loads a library into the connection */
        if (x->code == DBM__KW_DATA || x->code == DBM__KW_XML || x->code == DBM__KW_INDEX) verb = DBM__VERB_WRITE;
        break;
    default:
        break;
    }
    dbm__classify_done(v, verb);
}

static void dbm__classify_select(dbm__classify *v, const dbm__lex *x) {
    int locks = DBM__LOCKS_NONE;
    switch (x->code) {
    case DBM__KW_INTO:
        v->writes = true;
        break;
    case DBM__KW_TEMP: case DBM__KW_TEMPORARY:
        if (x->previous == DBM__KW_INTO) v->connection = true;
        break;
    case DBM__KW_FOR: locks = DBM__LOCKS_FOR; break;
    case DBM__KW_LOCK: locks = DBM__LOCKS_LOCK; break;
    case DBM__KW_NO: if (v->locks == DBM__LOCKS_FOR) locks = DBM__LOCKS_NO; break;
    case DBM__KW_IN: if (v->locks == DBM__LOCKS_LOCK) locks = DBM__LOCKS_IN; break;
    case DBM__KW_KEY: if (v->locks == DBM__LOCKS_FOR || v->locks == DBM__LOCKS_NO) locks = DBM__LOCKS_KEY; break;
    case DBM__KW_UPDATE: case DBM__KW_SHARE: if (v->locks != DBM__LOCKS_NONE) v->writes = true; break;
    case DBM__CODE_SIGN('('):
        if (x->previous == DBM__KW_GET_LOCK || x->previous == DBM__KW_SET_CONFIG || x->previous == DBM__KW_PG_ADVISORY_LOCK ||
            x->previous == DBM__KW_PG_ADVISORY_LOCK_SHARED || x->previous == DBM__KW_PG_TRY_ADVISORY_LOCK ||
            x->previous == DBM__KW_PG_TRY_ADVISORY_LOCK_SHARED) {
            v->connection = true;
        }
        break;
    default: break;
    }
    v->locks = locks;
}

static void dbm__classify_with(dbm__classify *v, const dbm__lex *x) {
    bool changes = dbm__lex_is(x, "INSERT UPDATE DELETE MERGE ");
    dbm__classify_select(v, x);
    if (v->depth > v->base) { /* AS (INSERT ..., or AS (WITH ... AS (...) INSERT ... */
        if (changes && (x->previous == DBM__CODE_SIGN('(') || x->previous == DBM__CODE_SIGN(')'))) v->writes = true;
    } else if (x->previous != DBM__KW_WITH && x->previous != DBM__KW_RECURSIVE && x->previous != DBM__CODE_SIGN(',')) {
        /* There it would be the name of a table expression. */
        if (changes || x->code == DBM__KW_REPLACE) dbm__classify_done(v, DBM__VERB_WRITE);
        else if (x->code == DBM__KW_SELECT || x->code == DBM__KW_VALUES || x->code == DBM__KW_TABLE) {
            v->verb = DBM__VERB_READ;
            v->state = DBM__VERBS_SELECT;
        }
    }
}

static const char dbm__explained[] = "SELECT INSERT UPDATE DELETE REPLACE MERGE WITH VALUES TABLE CREATE DECLARE EXECUTE REFRESH ";

static void dbm__classify_create(dbm__classify *v, const dbm__lex *x) {
    switch (v->state) {
    case DBM__VERBS_CREATE:
        if (x->code == DBM__KW_TEMP || x->code == DBM__KW_TEMPORARY) dbm__classify_done(v, DBM__VERB_STATE);
        else if (!dbm__lex_is(x, "OR REPLACE LOCAL GLOBAL UNIQUE VIRTUAL ")) v->state = DBM__VERBS_CREATE_NAME;
        break;
    case DBM__VERBS_CREATE_NAME:
        if (x->code == DBM__KW_TEMP || x->code == DBM__KW_PG_TEMP || x->code == DBM__CODE_QUOTED + DBM__KW_TEMP) {
            v->state = DBM__VERBS_CREATE_TEMP;
        } else if (!dbm__lex_is(x, "IF NOT EXISTS ")) {
            v->state = DBM__VERBS_DONE;
        }
        break;
    default: /* CREATE_TEMP */
        dbm__classify_done(v, x->code == DBM__CODE_SIGN('.') ? DBM__VERB_STATE : v->verb);
        break;
    }
}

static void dbm__classify_pragma(dbm__classify *v, const dbm__lex *x) {
    if (v->state == DBM__VERBS_PRAGMA_VALUE) {
        /* WAL and DELETE stay with the file; the others last as long as the connection. */
        int word = x->code >= DBM__CODE_QUOTED ? x->code - DBM__CODE_QUOTED : x->code;
        dbm__classify_done(v, word == DBM__KW_WAL || word == DBM__KW_DELETE ? DBM__VERB_WRITE : DBM__VERB_STATE);
    } else if (x->token == DBM__TOKEN_WORD) { /* the name, after main. perhaps */
        v->pragma = x->sql + x->start;
        v->pragma_size = x->at - x->start;
        v->verb = dbm__lex_in(dbm__pragma_acts, v->pragma, v->pragma_size) ? DBM__VERB_WRITE : DBM__VERB_READ;
    } else if (x->code == DBM__CODE_SIGN('=') || x->code == DBM__CODE_SIGN('(')) {
        if (!v->pragma) dbm__classify_done(v, DBM__VERB_OTHER);
        else if (v->verb == DBM__VERB_WRITE || dbm__lex_in(dbm__pragma_reads, v->pragma, v->pragma_size)) {
            v->state = DBM__VERBS_DONE;
        } else if (dbm__lex_in("JOURNAL_MODE ", v->pragma, v->pragma_size)) {
            v->verb = DBM__VERB_STATE;
            v->state = DBM__VERBS_PRAGMA_VALUE;
        } else {
            bool file = dbm__lex_in(dbm__pragma_writes, v->pragma, v->pragma_size);
            dbm__classify_done(v, file ? DBM__VERB_WRITE : DBM__VERB_STATE);
        }
    }
}

/* Hears every token of the first statement but blanks. */
static void dbm__classify_feed(dbm__classify *v, const dbm__lex *x) {
    if (x->code == DBM__CODE_SIGN('(')) v->depth++;
    else if (x->code == DBM__CODE_SIGN(')') && v->depth) v->depth--;
    switch (v->state) {
    case DBM__VERBS_FIRST: dbm__classify_first(v, x); break;
    case DBM__VERBS_SECOND: dbm__classify_second(v, x); break;
    case DBM__VERBS_SELECT: dbm__classify_select(v, x); break;
    case DBM__VERBS_WITH: dbm__classify_with(v, x); break;
    case DBM__VERBS_EXPLAIN:
        if (x->code == DBM__KW_ANALYZE || x->code == DBM__KW_ANALYSE) v->analyze = true; /* (ANALYZE FALSE) is taken for true */
        if (v->depth == v->base && dbm__lex_is(x, dbm__explained)) {
            if (v->analyze) dbm__classify_first(v, x);
            else v->state = DBM__VERBS_DONE;
        }
        break;
    case DBM__VERBS_ANALYZE:
        if (dbm__lex_is(x, dbm__explained) && x->code != DBM__KW_TABLE) dbm__classify_first(v, x);
        else if (x->code != DBM__KW_FORMAT && x->previous != DBM__KW_FORMAT && x->previous != DBM__CODE_SIGN('=')) {
            v->state = DBM__VERBS_DONE;
        }
        break;
    case DBM__VERBS_CREATE: case DBM__VERBS_CREATE_NAME: case DBM__VERBS_CREATE_TEMP: dbm__classify_create(v, x); break;
    case DBM__VERBS_PRAGMA: case DBM__VERBS_PRAGMA_VALUE: dbm__classify_pragma(v, x); break;
    case DBM__VERBS_DONE: break;
    }
}

static dbm__verb dbm__classify_end(const dbm__classify *v) {
    if (v->verb == DBM__VERB_READ && v->connection) return DBM__VERB_STATE;
    if (v->verb == DBM__VERB_READ && v->writes) return DBM__VERB_WRITE;
    return v->verb;
}

/* ---- placeholders -------------------------------------------------------------------------------------------------- */

/* What a rewritten placeholder needs at most beyond the byte it had: " $65535 " in the place of "?". */
#define DBM__SQL_GROWTH 7

typedef struct dbm__rewrite {
    const dbm__lex *x;
    const char *database, *site;
    dbm_placeholders placeholders;
    bool named;
    bool marked;           /* a ? was seen */
    bool numbered;         /* a $1 was seen */
    dbm__parsed *out;
    size_t copied;         /* of the text that came */
    uint32_t *slots;       /* numbers of names, by hash; 0: free */
    size_t slot_count;     /* a power of two, at least twice the names */
    size_t name_bytes;
} dbm__rewrite;

DBM__FN int dbm__sql_line(const char *sql, size_t position) {
    int line = 1;
    size_t at = 0;
    while (at < position && line < INT_MAX) {
        const void *found = memchr(sql + at, '\n', position - at);
        if (!found) break;
        at = (size_t)((const char *)found - sql) + 1;
        line++;
    }
    return line;
}

/* In characters of UTF-8, from 1. */
static int dbm__sql_column(const char *sql, size_t position) {
    int column = 1;
    while (position-- && sql[position] != '\n' && column < INT_MAX) {
        if (((unsigned char)sql[position] & 0xC0u) != 0x80u) column++;
    }
    return column;
}

static dbm_status dbm__sql_refuse(const dbm__rewrite *w, dbm_status status, size_t position, const char *what, const char *cure) {
    return dbm__fail(status, DBM_STAGE_STATEMENT, w->database, w->site, "line %d, column %d of the SQL: %s%s",
                     dbm__sql_line(w->x->sql, position), dbm__sql_column(w->x->sql, position), what, cure);
}

static dbm_status dbm__sql_too_many(const dbm__rewrite *w) {
    return dbm__sql_refuse(w, DBM_E_LIMIT, w->x->start, "more than 65535 placeholders; a bulk takes any number of rows", "");
}

static void dbm__rewrite_put(dbm__rewrite *w, const char *text, size_t size) {
    if (!size) return;
    memcpy(w->out->sql + w->out->size, text, size);
    w->out->size += size;
}

/* All up to the token in hand, which is left out. */
static void dbm__rewrite_flush(dbm__rewrite *w) {
    dbm__rewrite_put(w, w->x->sql + w->copied, w->x->start - w->copied);
    w->copied = w->x->at;
}

/* $n in the place of the token in hand, kept apart from words: SELECT? is two words, SELECT$1 would be one. */
static void dbm__rewrite_number(dbm__rewrite *w, int number) {
    char text[12];
    dbm__rewrite_flush(w);
    if (w->out->size && dbm__lex_is_word(w->out->sql[w->out->size - 1])) dbm__rewrite_put(w, " ", 1);
    dbm__format(text, sizeof text, "$%d", number);
    dbm__rewrite_put(w, text, strlen(text));
    if (w->copied < w->x->size && dbm__lex_is_word(w->x->sql[w->copied])) dbm__rewrite_put(w, " ", 1);
}

/* The number of a name, a new one for a new name. The first free slot is noted in *slot when it is new. */
static int dbm__rewrite_find(const dbm__rewrite *w, const char *name, size_t size, size_t *slot) {
    uint32_t hash = 2166136261u;
    size_t i;
    for (i = 0; i < size; i++) hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    for (i = hash & (w->slot_count - 1); w->slots[i]; i = (i + 1) & (w->slot_count - 1)) {
        const dbm__place *p = &w->out->places[w->slots[i] - 1];
        if (p->size == size && memcmp(p->name, name, size) == 0) return (int)w->slots[i];
    }
    *slot = i;
    return 0;
}

static dbm_status dbm__rewrite_name(dbm__rewrite *w) {
    const char *name = w->x->sql + w->x->start + 1;
    size_t size = w->x->at - w->x->start - 1, slot = 0;
    int number = w->slots ? dbm__rewrite_find(w, name, size, &slot) : 0;
    if (!number) {
        if (w->out->parameters == DBM__SQL_MAX_PARAMETERS) return dbm__sql_too_many(w);
        w->out->places[w->out->parameters].name = name; /* in the user's text until all are known */
        w->out->places[w->out->parameters].size = size;
        w->name_bytes += size;
        number = ++w->out->parameters;
        if (w->slots) w->slots[slot] = (uint32_t)number;
    }
    if (w->placeholders == DBM_PH_DOLLAR) {
        dbm__rewrite_number(w, number);
    } else {
        dbm__rewrite_flush(w);
        dbm__rewrite_put(w, "?", 1);
    }
    return DBM_OK;
}

static dbm_status dbm__rewrite_mark(dbm__rewrite *w) {
    const dbm__lex *x = w->x;
    if (x->at < x->size && dbm__lex_is_digit(x->sql[x->at])) {
        char what[32];
        size_t end = x->at;
        dbm__text t = dbm__text_in(what, sizeof what);
        while (end < x->size && end - x->start < 10 && dbm__lex_is_digit(x->sql[end])) end++;
        dbm__put(&t, "write ? instead of ");
        dbm__put_n(&t, x->sql + x->start, end - x->start);
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, what, w->named ? "; with dbm_named() values, write :name" : "");
    }
    if (w->named) {
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "? beside values with names; write :name", ", or ?? for an operator that has a question mark");
    }
    if (w->numbered) {
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "? beside $1; write one of the two", ", or ?? for an operator that has a question mark");
    }
    if (w->out->parameters == DBM__SQL_MAX_PARAMETERS) return dbm__sql_too_many(w);
    w->marked = true;
    w->out->parameters++;
    if (w->placeholders == DBM_PH_DOLLAR) dbm__rewrite_number(w, w->out->parameters);
    return DBM_OK;
}

static dbm_status dbm__rewrite_numbered(dbm__rewrite *w) {
    const dbm__lex *x = w->x;
    size_t i;
    int number = 0;
    if (w->named) return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "$1 beside values with names; write :name", "");
    if (w->placeholders != DBM_PH_DOLLAR) return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "write ? instead of $1", "");
    if (w->marked) {
        return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "$1 beside ?; write one of the two", ", and ?? for an operator that has a question mark");
    }
    for (i = x->start + 1; i < x->at && number <= DBM__SQL_MAX_PARAMETERS; i++) number = number * 10 + (x->sql[i] - '0');
    if (!number) return dbm__sql_refuse(w, DBM_E_MISUSE, x->start, "placeholders are numbered from $1", "");
    if (number > DBM__SQL_MAX_PARAMETERS) return dbm__sql_too_many(w);
    w->numbered = true;
    if (w->out->parameters < number) w->out->parameters = number;
    return DBM_OK;
}

/* Hears every token but blanks. */
static dbm_status dbm__rewrite_feed(dbm__rewrite *w) {
    if (w->placeholders == DBM_PH_NATIVE) return DBM_OK;
    switch (w->x->token) {
    case DBM__TOKEN_MARK: return dbm__rewrite_mark(w);
    case DBM__TOKEN_NUMBERED: return dbm__rewrite_numbered(w);
    case DBM__TOKEN_NAMED: return w->named ? dbm__rewrite_name(w) : DBM_OK;
    case DBM__TOKEN_ESCAPED:
        dbm__rewrite_flush(w);
        dbm__rewrite_put(w, "?", 1);
        return DBM_OK;
    case DBM__TOKEN_END: case DBM__TOKEN_BLANK: case DBM__TOKEN_WORD: case DBM__TOKEN_VALUE: case DBM__TOKEN_QUOTED:
    case DBM__TOKEN_SIGN: case DBM__TOKEN_OPEN:
        break;
    }
    return DBM_OK;
}

/* How often a byte occurs, up to the number of placeholders that may be. */
static size_t dbm__sql_count(const char *sql, size_t size, char byte) {
    size_t at, count = 0;
    for (at = 0; at < size && count < DBM__SQL_MAX_PARAMETERS; at++) count += sql[at] == byte;
    return count;
}

/* The blocks that the result lives in. They are made as large as the text can need, so that none has to grow. */
static bool dbm__rewrite_room(dbm__host *host, dbm__rewrite *w) {
    const dbm__lex *x = w->x;
    size_t names = 0, growth = 0;
    if (x->size > SIZE_MAX / 16) return false;
    if (w->placeholders != DBM_PH_NATIVE && w->named) names = dbm__sql_count(x->sql, x->size, ':');
    if (w->placeholders == DBM_PH_DOLLAR) {
        /* A name that comes a second time keeps its number, so names may be more than placeholders may. */
        growth = w->named ? names : dbm__sql_count(x->sql, x->size, '?');
        if (w->named && names == DBM__SQL_MAX_PARAMETERS) growth = x->size;
        growth *= DBM__SQL_GROWTH;
    }
    w->out->sql = (char *)dbm__alloc(host, x->size + growth + 1);
    if (!w->out->sql) return false;
    if (!names) return true;
    w->out->places = (dbm__place *)dbm__alloc(host, names * sizeof(dbm__place));
    if (!w->out->places) return false;
    if (w->placeholders != DBM_PH_DOLLAR) return true;
    for (w->slot_count = 4; w->slot_count < names * 2; w->slot_count *= 2) { }
    w->slots = (uint32_t *)dbm__alloc_zero(host, w->slot_count * sizeof(uint32_t));
    return w->slots != NULL;
}

/* The names move out of the user's text into a block of their own. */
static bool dbm__rewrite_names(dbm__host *host, dbm__rewrite *w) {
    dbm__parsed *out = w->out;
    char *at;
    int i;
    if (!out->parameters || !out->places) {
        dbm__free(host, out->places);
        out->places = NULL;
        return true;
    }
    out->names = at = (char *)dbm__alloc(host, w->name_bytes);
    if (!at) return false;
    for (i = 0; i < out->parameters; i++) {
        memcpy(at, out->places[i].name, out->places[i].size);
        out->places[i].name = at;
        at += out->places[i].size;
    }
    return true;
}

/* ---- the statement ------------------------------------------------------------------------------------------------- */

static dbm_status dbm__sql_not_closed(const dbm__rewrite *w) {
    const char *what = "the text in '...'";
    switch (w->x->sql[w->x->start]) {
    case '"': what = "the text in \"...\""; break;
    case '`': what = "the name in `...`"; break;
    case '[': what = "the name in [...]"; break;
    case '$': what = "the text in $tag$...$tag$"; break;
    case '/': what = "the comment /*...*/"; break;
    default: break;
    }
    return dbm__sql_refuse(w, DBM_E_MISUSE, w->x->start, what, " that begins here is not closed");
}

DBM__FN dbm_status dbm__sql_parse(dbm__host *host, const char *sql, size_t size, dbm_placeholders placeholders, unsigned lexer,
                                  bool named, const char *database, const char *site, dbm__parsed *out) {
    dbm__lex x;
    dbm__split split;
    dbm__classify verbs;
    dbm__rewrite w;
    dbm_status status = DBM_OK;
    const void *nul;
    bool any = false, ended = false;

    memset(out, 0, sizeof *out);
    memset(&split, 0, sizeof split);
    memset(&verbs, 0, sizeof verbs);
    memset(&w, 0, sizeof w);
    dbm__lex_begin(&x, sql, size, lexer);
    w.x = &x;
    w.database = database;
    w.site = site;
    w.placeholders = placeholders;
    w.named = named;
    w.out = out;
    if (!sql) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, database, site, "the SQL is NULL");
    nul = size ? memchr(sql, 0, size) : NULL;
    if (nul) return dbm__sql_refuse(&w, DBM_E_MISUSE, (size_t)((const char *)nul - sql), "a byte 0 within the statement; pass such data as a value", "");
    if (!dbm__rewrite_room(host, &w)) goto no_memory;

    for (;;) {
        dbm__lex_next(&x);
        if (x.token == DBM__TOKEN_BLANK) continue;
        if (x.token == DBM__TOKEN_OPEN) {
            if (placeholders != DBM_PH_NATIVE) status = dbm__sql_not_closed(&w);
            else dbm__classify_done(&verbs, DBM__VERB_OTHER); /* another language, with quotes of its own */
        }
        if (x.token == DBM__TOKEN_OPEN || x.token == DBM__TOKEN_END) break;
        if (!(lexer & DBM_LEX_NOT_SQL)) {
            if (!ended && dbm__split_feed(&split, &x)) {
                if (any) ended = true;
                continue;
            }
            if (x.code == DBM__CODE_SIGN(';') && ended) continue;
            any = true;
            out->several = ended;
            if (!ended) dbm__classify_feed(&verbs, &x);
            if (x.code == DBM__KW_RETURNING) out->returning = true;
            if (x.code == DBM__CODE_SIGN('(')) { /* "random"() calls it too */
                int called = x.previous % DBM__CODE_QUOTED;
                if (called == DBM__KW_RANDOM || called == DBM__KW_RANDOMBLOB) out->random = true;
            }
        }
        status = dbm__rewrite_feed(&w);
        if (status != DBM_OK) break;
    }
    if (status != DBM_OK) goto fail;

    dbm__rewrite_put(&w, sql + w.copied, size - w.copied);
    out->sql[out->size] = '\0';
    if (!dbm__rewrite_names(host, &w)) goto no_memory;
    if (placeholders == DBM_PH_NATIVE) out->parameters = -1;
    out->verb = dbm__classify_end(&verbs);
    if (out->several && out->verb == DBM__VERB_READ) out->verb = DBM__VERB_OTHER; /* what follows was not looked at */
    dbm__free(host, w.slots);
    return DBM_OK;

no_memory:
    status = dbm__no_memory(DBM_STAGE_STATEMENT, database, site);
fail:
    dbm__free(host, w.slots);
    dbm__parsed_free(host, out);
    return status;
}

DBM__FN void dbm__parsed_free(dbm__host *host, dbm__parsed *parsed) {
    if (!parsed) return;
    dbm__free(host, parsed->sql);
    dbm__free(host, parsed->places);
    dbm__free(host, parsed->names);
    memset(parsed, 0, sizeof *parsed);
}

/* ---- names --------------------------------------------------------------------------------------------------------- */

DBM__FN dbm_status dbm__sql_ident(char *block, size_t capacity, const char *name, char quote) {
    size_t needed = 3, at = 0, i;
    if (block && capacity) block[0] = '\0'; /* "" is no name in any SQL: an unchecked failure can't name the wrong table */
    if (!name || !name[0]) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, "", "", "a name is %s", name ? "empty" : "NULL");
    for (i = 0; name[i]; i++) needed += name[i] == quote ? 2u : 1u;
    if (!block || capacity < needed) {
        return dbm__fail(DBM_E_RANGE, DBM_STAGE_STATEMENT, "", "", "the quoted name needs %z bytes, the buffer has %z", needed, block ? capacity : (size_t)0);
    }
    block[at++] = quote;
    for (i = 0; name[i]; i++) {
        if (name[i] == quote) block[at++] = quote;
        block[at++] = name[i];
    }
    block[at++] = quote;
    block[at] = '\0';
    return DBM_OK;
}
