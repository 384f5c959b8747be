/* SQL as far as dbm.h must read it: placeholders, the first words, the end of a statement, quoting.
 * May call: api/, base/.
 * Must not know: sessions, caches, connections. */
#ifndef DBM__LEXER_H
#define DBM__LEXER_H
#include "../base/base.h"

/* What a statement's first words say. */
typedef enum dbm__verb {
    DBM__VERB_OTHER = 0,   /* not known: taken as writing */
    DBM__VERB_READ,        /* SELECT, VALUES, SHOW, EXPLAIN, DESCRIBE, TABLE, WITH ... SELECT without a writing word, PRAGMA
                            * without = or (, and what ends with the transaction: SET LOCAL of PostgreSQL */
    DBM__VERB_WRITE,       /* INSERT, UPDATE, DELETE, REPLACE, MERGE, WITH ... INSERT/UPDATE/DELETE, SELECT ... INTO or FOR
                            * UPDATE, PRAGMA that changes the file (user_version = n, wal_checkpoint) */
    DBM__VERB_SCHEMA,      /* CREATE, DROP, ALTER, TRUNCATE, VACUUM, ... */
    DBM__VERB_STATE,       /* SET, PREPARE, LISTEN, CREATE TEMP, PRAGMA x = y, ATTACH, LOCK, USE, SELECT pg_advisory_lock(),
                            * ...: changes the connection itself */
    DBM__VERB_TRANSACTION  /* BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, START TRANSACTION, END, ABORT */
} dbm__verb;

/* A placeholder's name, when values come with names. */
typedef struct dbm__place { const char *name; size_t size; } dbm__place;

/* No backend takes more: the protocols of PostgreSQL and MySQL count placeholders in 16 bits. */
#define DBM__SQL_MAX_PARAMETERS 65535

/* One statement, read. */
typedef struct dbm__parsed {
    char *sql;              /* as the backend reads it; allocated, NUL-terminated */
    size_t size;
    int parameters;         /* values that the statement takes; -1 with DBM_PH_NATIVE: not counted */
    dbm__place *places;     /* named only: the name of each parameter, pointing into names; NULL when there is none */
    char *names;            /* a block of its own */
    dbm__verb verb;         /* of the first statement; when there are several and the first one reads, OTHER */
    bool returning;         /* has the word RETURNING outside quotes */
    bool random;            /* calls random( or randomblob(: another run would give other rows */
    bool several;           /* more than one statement: text after a `;` that is not blank or comment */
} dbm__parsed;

/* Reads one statement, rewrites its placeholders for a backend. `named`: `:name` are placeholders and `?` is not.
 * `??` becomes `?` and is not counted. Placeholders that the backend knows and dbm.h does not (@x of SQLite, :name without
 * `named`) stay and are not counted: an adapter that can count compares its own number with `parameters`.
 * Returns   DBM_OK, and *out to be freed; else *out is all zero.
 * Errors    E_MISUSE (`?1`, `$1` where it is not allowed, ? beside :name or $1, a quote or comment that is not closed, a NUL
 *           byte: with its position), E_LIMIT (DBM__SQL_MAX_PARAMETERS), E_NOMEM.
 *           They are this thread's last failure, stage STATEMENT; database and site are the caller's. */
DBM__FN dbm_status dbm__sql_parse(dbm__host *host, const char *sql, size_t size, dbm_placeholders placeholders, unsigned lexer,
                                  bool named, const char *database, const char *site, dbm__parsed *out);
DBM__FN void dbm__parsed_free(dbm__host *host, dbm__parsed *parsed);
/* Bytes of the first statement of a script, its `;` excluded, leading blanks and comments included; *next is where the one
 * after it begins, *next == size at the end. 0: nothing to run there, only blanks, comments or a lone `;`. A script is run by
 *     for (at = 0; at < size; at += next) {
 *         n = dbm__sql_statement_end(sql + at, size - at, lexer, &next);
 *         if (n) run(sql + at, n);
 *     }
 * Knows bodies: CREATE TRIGGER ... BEGIN ... END of SQLite, BEGIN ATOMIC ... END of PostgreSQL, MySQL's nested blocks.
 * A quote or comment that is not closed takes the rest, which dbm__sql_parse then refuses. */
DBM__FN size_t dbm__sql_statement_end(const char *sql, size_t size, unsigned lexer, size_t *next);
/* The next word from *at on that is neither quoted nor in a comment, and its length; *depth counts the parentheses that are open. NULL: there is none. */
DBM__FN const char *dbm__sql_word(const char *sql, size_t size, unsigned lexer, size_t *at, int *depth, size_t *length);
/* Whether a statement's first word is one of `words`, and whether it calls one of them as a function: in capitals, a blank behind each. */
DBM__FN bool dbm__sql_begins(const char *sql, size_t size, unsigned lexer, const char *words);
DBM__FN bool dbm__sql_calls(const char *sql, size_t size, unsigned lexer, const char *words);
/* The line number (from 1) of a byte of a text. */
DBM__FN int dbm__sql_line(const char *sql, size_t position);
/* Writes a quoted identifier; `quote` is " or `. Each part of "schema.table" stays one name: dots are not special.
 * Errors    E_RANGE (the buffer is too small; says how many bytes are needed), E_MISUSE (NULL or empty). */
DBM__FN dbm_status dbm__sql_ident(char *block, size_t capacity, const char *name, char quote);
#endif /* DBM__LEXER_H */
