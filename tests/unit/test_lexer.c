/* sql/lexer.c: placeholders, quotes and comments of each backend, verbs, scripts, names; and SQLite's own opinion of them. */
#define DBM_TEST_WHOLE
#include "dbm_test.h"
#include <time.h>
#if DBM_HAS_SQLITE
#  include <sqlite3.h>
#endif

#define SQLITE_BITS (DBM_LEX_BRACKETS | DBM_LEX_BACKTICKS)
#define POSTGRES_BITS (DBM_LEX_DOLLAR | DBM_LEX_NESTED | DBM_LEX_ESTRING)
#define MYSQL_BITS (DBM_LEX_BACKSLASH | DBM_LEX_HASH | DBM_LEX_BACKTICKS | DBM_LEX_DASH_SPACE)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static test_heap heap;
static dbm__host host;

static int set_up(void **state) {
    dbm_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    memset(&heap, 0, sizeof heap);
    options.allocator = test_heap_allocator(&heap);
    return dbm__host_init(&host, &options) == DBM_OK ? 0 : 1;
}

static int tear_down(void **state) {
    (void)state;
    dbm__host_free(&host);
    return test_heap_live(&heap) == 0 ? 0 : 1;
}

/* A copy that ends where the text ends, so that a read beyond it is seen. */
static char *exact(const char *text, size_t size) {
    char *copy = (char *)malloc(size ? size : 1);
    assert_non_null(copy);
    if (size) memcpy(copy, text, size);
    return copy;
}

static dbm_status parse(const char *sql, size_t size, dbm_placeholders placeholders, unsigned bits, bool named,
                        dbm__parsed *out) {
    char *copy = exact(sql, size);
    dbm_status status = dbm__sql_parse(&host, copy, size, placeholders, bits, named, "shop", "shop.c:7", out);
    free(copy); /* the result owns its texts */
    return status;
}

/* ---- placeholders ------------------------------------------------------------------------------------------------- */

typedef struct rewrite_case {
    const char *sql, *expected; /* NULL: unchanged */
    int parameters;
} rewrite_case;

static void check_rewrites(const rewrite_case *cases, size_t count, dbm_placeholders placeholders, unsigned bits) {
    size_t i;
    for (i = 0; i < count; i++) {
        const char *expected = cases[i].expected ? cases[i].expected : cases[i].sql;
        dbm__parsed p;
        dbm_status status = parse(cases[i].sql, strlen(cases[i].sql), placeholders, bits, false, &p);
        if (status != DBM_OK) fail_msg("%s: %s", cases[i].sql, dbm_last_error()->message);
        assert_string_equal(p.sql, expected);
        assert_int_equal(p.size, strlen(expected));
        if (p.parameters != cases[i].parameters) fail_msg("%s: %d parameters", cases[i].sql, p.parameters);
        assert_null(p.places);
        assert_null(p.names);
        dbm__parsed_free(&host, &p);
        assert_null(p.sql);
    }
}

static void test_questions(void **state) {
    static const rewrite_case every[] = {
        { "", NULL, 0 }, { "SELECT 1", NULL, 0 }, { "SELECT ?", NULL, 1 }, { "?", NULL, 1 }, { "SELECT ?,? ,?", NULL, 3 },
        { "SELECT a ?? b, ?", "SELECT a ? b, ?", 1 }, { "??", "?", 0 }, { "???", "??", 1 }, { "????", "??", 0 },
        { "SELECT '?', ?", NULL, 1 }, { "SELECT 'it''s ?', ?", NULL, 1 }, { "SELECT ''?'?'", NULL, 1 },
        { "SELECT \"a?\"\"b?\", ?", NULL, 1 }, { "SELECT /* ? ' */ ?", NULL, 1 }, { "SELECT /**/?/***/?/*/ ?*/", NULL, 2 },
        { "SELECT 1 -- ? '\n, ?", NULL, 1 }, { "SELECT ? -- ?", NULL, 1 }, { "SELECT 8/?*2", NULL, 1 },
        { "SELECT 8 - ?", NULL, 1 },
        { "SELECT :name, ?", NULL, 1 }, { "SELECT x::int, ?", NULL, 1 }, { "SELECT '?" "?'", NULL, 0 },
        { "SELECT @a, @@b, $c, ?", NULL, 1 },
        { "SELECT caf\xC3\xA9?", NULL, 1 }, { "\xEF\xBB\xBFSELECT ?", NULL, 1 },
        { "SELECT ?; ", NULL, 1 }, { "SELECT ?; SELECT ?", NULL, 2 }
    };
    static const rewrite_case sqlite[] = {
        { "SELECT [?], `?`, `a``?`, ?", NULL, 1 }, { "SELECT [a''?]?", NULL, 1 }, { "SELECT '\\', ?, '\\'", NULL, 1 },
        { "SELECT x'00', ?", NULL, 1 }, { "SELECT e'\\', ?, '\\'", NULL, 1 }, { "SELECT 1--?", NULL, 0 }
    };
    static const rewrite_case mysql[] = {
        { "SELECT 'it\\'s ?', ?", NULL, 1 }, { "SELECT \"it\\\"s ?\", ?", NULL, 1 }, { "SELECT '\\\\', ?", NULL, 1 },
        { "SELECT `\\`, ?", NULL, 1 }, { "SELECT ? # ? '\n, ?", NULL, 2 }, { "SELECT 5--?", NULL, 1 },
        { "SELECT 5-- ?\n", NULL, 0 },
        { "SELECT ?--", NULL, 1 }, { "SELECT ?--\t?", NULL, 1 }, { "SELECT ?--\n?", NULL, 2 }, { "SELECT a[?]", NULL, 1 },
        { "SELECT /*!50001 ?, */ ?", NULL, 2 }, { "SELECT /*M!100100 ?, */ /*+ ? */ ?", NULL, 2 },
        { "SELECT /*! '*/', /* ? */ */ ?", NULL, 1 }, { "SELECT $$, ?", NULL, 1 }, { "SET @a := ?", NULL, 1 }
    };
    (void)state;
    check_rewrites(every, COUNT(every), DBM_PH_QUESTION, 0);
    check_rewrites(every, COUNT(every), DBM_PH_QUESTION, SQLITE_BITS);
    check_rewrites(every, COUNT(every), DBM_PH_QUESTION, MYSQL_BITS);
    check_rewrites(every, COUNT(every), DBM_PH_QUESTION, POSTGRES_BITS);
    check_rewrites(sqlite, COUNT(sqlite), DBM_PH_QUESTION, SQLITE_BITS);
    check_rewrites(mysql, COUNT(mysql), DBM_PH_QUESTION, MYSQL_BITS);
}

static void test_dollars(void **state) {
    static const rewrite_case cases[] = {
        { "SELECT 1", NULL, 0 }, { "SELECT ?", "SELECT $1", 1 }, { "VALUES (?,?,?)", "VALUES ($1,$2,$3)", 3 },
        { "SELECT ?,?,?,?,?,?,?,?,?,?", "SELECT $1,$2,$3,$4,$5,$6,$7,$8,$9,$10", 10 },
        { "SELECT?", "SELECT $1", 1 }, { "SELECT ?AND ?", "SELECT $1 AND $2", 2 }, { "SELECT a$?", "SELECT a$ $1", 1 },
        { "SELECT ?::int", "SELECT $1::int", 1 }, { "SELECT a ?? ?", "SELECT a ? $1", 1 },
        { "SELECT a ??| ?", "SELECT a ?| $1", 1 },
        { "SELECT $1", NULL, 1 }, { "SELECT $2, $1, $2", NULL, 2 }, { "SELECT $1 ?? 'a'", "SELECT $1 ? 'a'", 1 },
        { "SELECT $7", NULL, 7 },
        { "SELECT a$1, ?", "SELECT a$1, $1", 1 }, { "SELECT '$1', ?", "SELECT '$1', $1", 1 },
        { "SELECT $$ ? $1 $$, ?", "SELECT $$ ? $1 $$, $1", 1 },
        { "SELECT $a$ ? $$ $b$ $a$, ?", "SELECT $a$ ? $$ $b$ $a$, $1", 1 },
        { "SELECT $a$ $a $ab$ $a$?", "SELECT $a$ $a $ab$ $a$ $1", 1 },
        { "SELECT $\xC3\xA9$?$\xC3\xA9$, ?", "SELECT $\xC3\xA9$?$\xC3\xA9$, $1", 1 },
        { "SELECT a$$?", "SELECT a$$ $1", 1 }, { "SELECT $$$$, ?", "SELECT $$$$, $1", 1 },
        { "SELECT E'\\'?', ?", "SELECT E'\\'?', $1", 1 }, { "SELECT e'\\\\', ?", "SELECT e'\\\\', $1", 1 },
        { "SELECT '\\', ?", "SELECT '\\', $1", 1 }, { "SELECT xe'\\', ?", "SELECT xe'\\', $1", 1 },
        { "SELECT E'a'\n -- c\n '\\'?', ?", "SELECT E'a'\n -- c\n '\\'?', $1", 1 },
        { "SELECT E'a' '\\', ?", "SELECT E'a' '\\', $1", 1 },
        { "SELECT E'a''\\'?'?", "SELECT E'a''\\'?'$1", 1 }, { "SELECT U&'\\', ?", "SELECT U&'\\', $1", 1 },
        { "SELECT /* /* ? */ ? */ ?", "SELECT /* /* ? */ ? */ $1", 1 }, { "SELECT 1 -- ?\r, ?", "SELECT 1 -- ?\r, $1", 1 },
        { "SELECT a[?:?]", "SELECT a[$1:$2]", 2 }, { "SELECT a #> ?, `?", "SELECT a #> $1, `$2", 2 },
        { "SELECT :a, ?", "SELECT :a, $1", 1 }
    };
    static const rewrite_case plain[] = { { "SELECT $$, ?", "SELECT $$, $1", 1 }, { "SELECT $a$?", "SELECT $a$ $1", 1 } };
    (void)state;
    check_rewrites(cases, COUNT(cases), DBM_PH_DOLLAR, POSTGRES_BITS);
    check_rewrites(plain, COUNT(plain), DBM_PH_DOLLAR, 0);
}

static void test_native(void **state) {
    static const char *const texts[] = {
        "MATCH (n {id: $id}) WHERE n.a = 'x' RETURN n", "RETURN ?, ??, $1, :name, ?1", "it's not closed", ""
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(texts) * 2; i++) {
        dbm__parsed p;
        assert_int_equal(parse(texts[i / 2], strlen(texts[i / 2]), DBM_PH_NATIVE, MYSQL_BITS, i % 2 != 0, &p), DBM_OK);
        assert_string_equal(p.sql, texts[i / 2]);
        assert_int_equal(p.parameters, -1);
        assert_null(p.places);
        assert_int_equal(p.verb, DBM__VERB_OTHER);
        dbm__parsed_free(&host, &p);
    }
}

typedef struct named_case {
    const char *sql, *question, *question_names, *dollar, *dollar_names;
} named_case;

static void check_names(const dbm__parsed *p, const char *names) {
    char block[256];
    dbm__text t = dbm__text_in(block, sizeof block);
    int i;
    for (i = 0; i < p->parameters; i++) {
        if (i) dbm__put(&t, ",");
        dbm__put_n(&t, p->places[i].name, p->places[i].size);
    }
    assert_string_equal(block, names);
    assert_int_equal(p->places != NULL, p->parameters > 0);
}

static void test_named(void **state) {
    static const named_case cases[] = {
        { "SELECT :a", "SELECT ?", "a", "SELECT $1", "a" },
        { "SELECT :a, :b_2, :a", "SELECT ?, ?, ?", "a,b_2,a", "SELECT $1, $2, $1", "a,b_2" },
        { "SELECT :a, :A, :aa", "SELECT ?, ?, ?", "a,A,aa", "SELECT $1, $2, $3", "a,A,aa" },
        { "SELECT :a::int, b::text", "SELECT ?::int, b::text", "a", "SELECT $1::int, b::text", "a" },
        { "SELECT x := 1, @y:=:a", "SELECT x := 1, @y:=?", "a", "SELECT x := 1, @y:=$1", "a" },
        { "SELECT v[1:2], v[lo:hi], v[:lo]", "SELECT v[1:2], v[lo:hi], v[?]", "lo", "SELECT v[1:2], v[lo:hi], v[$1]", "lo" },
        { "SELECT ':a', \":a\", /* :a */ :a -- :a", "SELECT ':a', \":a\", /* :a */ ? -- :a", "a",
          "SELECT ':a', \":a\", /* :a */ $1 -- :a", "a" },
        { "SELECT :1, : a, a ?? :b", "SELECT :1, : a, a ? ?", "b", "SELECT :1, : a, a ? $1", "b" },
        { "SELECT(:a)FROM:b", "SELECT(?)FROM:b", "a", "SELECT($1)FROM:b", "a" },
        { "SELECT :_x$y", "SELECT ?$y", "_x", "SELECT $1 $y", "_x" },
        { "SELECT :\xC3\xA9t\xC3\xA9", "SELECT ?", "\xC3\xA9t\xC3\xA9", "SELECT $1", "\xC3\xA9t\xC3\xA9" },
        { "SELECT a::b", "SELECT a::b", "", "SELECT a::b", "" },
        { "", "", "", "", "" }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        dbm__parsed p;
        assert_int_equal(parse(cases[i].sql, strlen(cases[i].sql), DBM_PH_QUESTION, 0, true, &p), DBM_OK);
        assert_string_equal(p.sql, cases[i].question);
        check_names(&p, cases[i].question_names);
        dbm__parsed_free(&host, &p);
        assert_int_equal(parse(cases[i].sql, strlen(cases[i].sql), DBM_PH_DOLLAR, POSTGRES_BITS, true, &p), DBM_OK);
        assert_string_equal(p.sql, cases[i].dollar);
        assert_int_equal(p.size, strlen(p.sql));
        check_names(&p, cases[i].dollar_names);
        dbm__parsed_free(&host, &p);
    }
}

/* ---- errors ------------------------------------------------------------------------------------------------------- */

typedef struct error_case {
    const char *sql;
    dbm_placeholders placeholders;
    unsigned bits;
    bool named;
    const char *message; /* its beginning */
} error_case;

static void test_errors(void **state) {
    static const error_case cases[] = {
        { "SELECT 'a", DBM_PH_QUESTION, 0, false,
          "line 1, column 8 of the SQL: the text in '...' that begins here is not closed" },
        { "SELECT\n  'a''", DBM_PH_QUESTION, 0, false, "line 2, column 3 of the SQL: the text in '...'" },
        { "'\\'", DBM_PH_QUESTION, MYSQL_BITS, false, "line 1, column 1 of the SQL: the text in '...'" },
        { "'\\", DBM_PH_QUESTION, MYSQL_BITS, false, "line 1, column 1 of the SQL: the text in '...'" },
        { "\xC3\xA9 \"a", DBM_PH_QUESTION, 0, false, "line 1, column 3 of the SQL: the text in \"...\"" },
        { "\n\n`a", DBM_PH_QUESTION, MYSQL_BITS, false, "line 3, column 1 of the SQL: the name in `...`" },
        { "x [a", DBM_PH_QUESTION, SQLITE_BITS, false, "line 1, column 3 of the SQL: the name in [...]" },
        { "x $a$ b $a", DBM_PH_DOLLAR, POSTGRES_BITS, false, "line 1, column 3 of the SQL: the text in $tag$...$tag$" },
        { "x $$", DBM_PH_DOLLAR, POSTGRES_BITS, false, "line 1, column 3 of the SQL: the text in $tag$...$tag$" },
        { "x E'a", DBM_PH_DOLLAR, POSTGRES_BITS, false, "line 1, column 3 of the SQL: the text in '...'" },
        { "x /* a", DBM_PH_QUESTION, 0, false,
          "line 1, column 3 of the SQL: the comment /*...*/ that begins here is not closed" },
        { "x /*/", DBM_PH_QUESTION, 0, false, "line 1, column 3 of the SQL: the comment" },
        { "x /* /* */", DBM_PH_DOLLAR, POSTGRES_BITS, false, "line 1, column 3 of the SQL: the comment" },
        { "x /*!40000 y", DBM_PH_QUESTION, MYSQL_BITS, false, "line 1, column 3 of the SQL: the comment" },
        { "SELECT ?1", DBM_PH_QUESTION, 0, false, "line 1, column 8 of the SQL: write ? instead of ?1" },
        { "SELECT ?12, 3", DBM_PH_DOLLAR, POSTGRES_BITS, false, "line 1, column 8 of the SQL: write ? instead of ?12" },
        { "SELECT ?1", DBM_PH_QUESTION, 0, true,
          "line 1, column 8 of the SQL: write ? instead of ?1; with dbm_named() values, write :name" },
        { "SELECT $1", DBM_PH_QUESTION, SQLITE_BITS, false, "line 1, column 8 of the SQL: write ? instead of $1" },
        { "SELECT $1", DBM_PH_QUESTION, 0, true, "line 1, column 8 of the SQL: $1 beside values with names; write :name" },
        { "SELECT $0", DBM_PH_DOLLAR, POSTGRES_BITS, false, "line 1, column 8 of the SQL: placeholders are numbered from $1" },
        { "SELECT $1, ?", DBM_PH_DOLLAR, POSTGRES_BITS, false,
          "line 1, column 12 of the SQL: ? beside $1; write one of the two" },
        { "SELECT ?, $1", DBM_PH_DOLLAR, POSTGRES_BITS, false,
          "line 1, column 11 of the SQL: $1 beside ?; write one of the two" },
        { "SELECT :a, ?", DBM_PH_DOLLAR, POSTGRES_BITS, true,
          "line 1, column 12 of the SQL: ? beside values with names; write :name" },
        { "SELECT :a, $1", DBM_PH_DOLLAR, POSTGRES_BITS, true, "line 1, column 12 of the SQL: $1 beside values with names" },
        { "SELECT ?", DBM_PH_QUESTION, 0, true, "line 1, column 8 of the SQL: ? beside values with names; write :name" }
    };
    dbm__parsed p;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        const error_case *c = &cases[i];
        if (parse(c->sql, strlen(c->sql), c->placeholders, c->bits, c->named, &p) != DBM_E_MISUSE) {
            fail_msg("accepted: %s", c->sql);
        }
        if (strncmp(dbm_last_error()->message, c->message, strlen(c->message)) != 0) {
            fail_msg("%s: %s", c->sql, dbm_last_error()->message);
        }
        assert_int_equal(dbm_last_error()->status, DBM_E_MISUSE);
        assert_int_equal(dbm_last_error()->stage, DBM_STAGE_STATEMENT);
        assert_string_equal(dbm_last_error()->database, "shop");
        assert_string_equal(dbm_last_error()->site, "shop.c:7");
        assert_null(p.sql);
        assert_null(p.places);
        assert_int_equal(test_heap_live(&heap), 0);
    }
    assert_int_equal(parse("SELECT 1\n\0", 10, DBM_PH_QUESTION, 0, false, &p), DBM_E_MISUSE);
    assert_non_null(strstr(dbm_last_error()->message, "line 2, column 1 of the SQL: a byte 0"));
    assert_int_equal(parse("SELECT 1\n\0", 10, DBM_PH_NATIVE, 0, false, &p), DBM_E_MISUSE);
    assert_int_equal(dbm__sql_parse(&host, NULL, 0, DBM_PH_QUESTION, 0, false, "shop", "shop.c:7", &p), DBM_E_MISUSE);
    dbm__parsed_free(&host, NULL);
    dbm__parsed_free(&host, &p);
    dbm__parsed_free(&host, &p);
}

static void test_line(void **state) {
    const char *text = "a\nbc\r\n\nd";
    (void)state;
    assert_int_equal(dbm__sql_line(text, 0), 1);
    assert_int_equal(dbm__sql_line(text, 1), 1);
    assert_int_equal(dbm__sql_line(text, 2), 2);
    assert_int_equal(dbm__sql_line(text, 5), 2);
    assert_int_equal(dbm__sql_line(text, 6), 3);
    assert_int_equal(dbm__sql_line(text, 8), 4);
}

/* 65,535 placeholders are the most, in each of the ways to write them. */
static void test_limit(void **state) {
    enum { MOST = DBM__SQL_MAX_PARAMETERS };
    size_t room = (size_t)(MOST + 1) * 8 + 16, size;
    char *text = (char *)malloc(room);
    int extra, i, way;
    (void)state;
    assert_non_null(text);
    for (way = 0; way < 5; way++) {
        for (extra = 0; extra < 2; extra++) {
            dbm__parsed p;
            dbm_status status;
            dbm_placeholders ph = way == 0 || way == 2 ? DBM_PH_QUESTION : DBM_PH_DOLLAR;
            dbm__text t = dbm__text_in(text, room);
            if (way == 4) dbm__putf(&t, "$%d", MOST + extra);
            for (i = 0; i < MOST + extra && way < 4; i++) {
                if (way < 2) dbm__put_n(&t, "?,", 2);
                else dbm__putf(&t, ":n%d,", i);
            }
            size = t.size;
            assert_false(t.cut);
            status = dbm__sql_parse(&host, text, size, ph, POSTGRES_BITS, way == 2 || way == 3, "", "", &p);
            assert_int_equal(status, extra ? DBM_E_LIMIT : DBM_OK);
            if (!extra) assert_int_equal(p.parameters, MOST);
            if (way == 3 && !extra) {
                assert_string_equal(p.sql + p.size - 8, ",$65535,");
                assert_memory_equal(p.places[MOST - 1].name, "n65534", 6);
            }
            dbm__parsed_free(&host, &p);
        }
    }
    { /* one name as often as one likes where it has one number */
        dbm__parsed p;
        dbm__text t = dbm__text_in(text, room);
        for (i = 0; i < MOST * 2; i++) dbm__put_n(&t, ":a,", 3);
        assert_int_equal(dbm__sql_parse(&host, text, t.size, DBM_PH_DOLLAR, POSTGRES_BITS, true, "", "", &p), DBM_OK);
        assert_int_equal(p.parameters, 1);
        assert_int_equal(p.size, (size_t)MOST * 2 * 3);
        dbm__parsed_free(&host, &p);
        assert_int_equal(dbm__sql_parse(&host, text, t.size, DBM_PH_QUESTION, 0, true, "", "", &p), DBM_E_LIMIT);
    }
    free(text);
}

/* ---- verbs --------------------------------------------------------------------------------------------------------- */

#define ALL_BITS 0xFFFFu
typedef struct verb_case {
    const char *sql;
    dbm__verb verb;
    unsigned bits; /* ALL_BITS: with those of each backend */
} verb_case;

static void test_verbs(void **state) {
    static const unsigned backends[] = { SQLITE_BITS, POSTGRES_BITS, MYSQL_BITS };
    static const verb_case cases[] = {
        { "", DBM__VERB_OTHER, ALL_BITS }, { "  -- nothing\n /* at all */ ", DBM__VERB_OTHER, ALL_BITS },
        { "42", DBM__VERB_OTHER, ALL_BITS },
        { "frobnicate x", DBM__VERB_OTHER, ALL_BITS }, { "'SELECT'", DBM__VERB_OTHER, ALL_BITS },
        { "SELECTED", DBM__VERB_OTHER, ALL_BITS },
        { "SELECT 1", DBM__VERB_READ, ALL_BITS }, { "select 1", DBM__VERB_READ, ALL_BITS },
        { "SeLeCt*from t", DBM__VERB_READ, ALL_BITS },
        { "-- x\n/* INSERT */ SELECT 1", DBM__VERB_READ, ALL_BITS },
        { " ( (SELECT 1) UNION SELECT 2)", DBM__VERB_READ, ALL_BITS },
        { ";; SELECT 1", DBM__VERB_READ, ALL_BITS }, { "\xEF\xBB\xBFSELECT 1", DBM__VERB_READ, ALL_BITS },
        { "VALUES (1)", DBM__VERB_READ, ALL_BITS }, { "TABLE t", DBM__VERB_READ, ALL_BITS },
        { "SHOW TABLES", DBM__VERB_READ, ALL_BITS },
        { "DESCRIBE t", DBM__VERB_READ, ALL_BITS }, { "DESC t", DBM__VERB_READ, ALL_BITS },
        { "FETCH 10 FROM c", DBM__VERB_READ, ALL_BITS },
        { "INSERT INTO t VALUES (1)", DBM__VERB_WRITE, ALL_BITS }, { "UPDATE t SET a = 1", DBM__VERB_WRITE, ALL_BITS },
        { "DELETE FROM t", DBM__VERB_WRITE, ALL_BITS }, { "REPLACE INTO t VALUES (1)", DBM__VERB_WRITE, ALL_BITS },
        { "MERGE INTO t USING s ON 1", DBM__VERB_WRITE, ALL_BITS }, { "COPY t FROM STDIN", DBM__VERB_WRITE, ALL_BITS },
        { "NOTIFY c", DBM__VERB_WRITE, ALL_BITS }, { "LOAD DATA INFILE 'x' INTO TABLE t", DBM__VERB_WRITE, ALL_BITS },
        { "LOAD 'auto_explain'", DBM__VERB_STATE, ALL_BITS },
        /* SELECT that writes or locks */
        { "SELECT a INTO t2 FROM t", DBM__VERB_WRITE, ALL_BITS }, { "SELECT a INTO TEMP t2 FROM t", DBM__VERB_STATE, ALL_BITS },
        { "SELECT a FROM t FOR UPDATE", DBM__VERB_WRITE, ALL_BITS }, { "SELECT a FROM t FOR SHARE", DBM__VERB_WRITE, ALL_BITS },
        { "SELECT a FROM t FOR NO KEY UPDATE", DBM__VERB_WRITE, ALL_BITS },
        { "SELECT a FROM t FOR KEY SHARE", DBM__VERB_WRITE, ALL_BITS },
        { "SELECT a FROM t LOCK IN SHARE MODE", DBM__VERB_WRITE, ALL_BITS },
        { "(SELECT a FROM t FOR /**/ UPDATE)", DBM__VERB_WRITE, ALL_BITS },
        { "SELECT a FROM t USE INDEX FOR JOIN (i)", DBM__VERB_READ, ALL_BITS },
        { "SELECT substring(a FOR 3), t.update", DBM__VERB_READ, ALL_BITS },
        { "SELECT 'FOR UPDATE', \"INTO\", t.into", DBM__VERB_READ, ALL_BITS },
        { "SELECT replace(a, 'b', 'c')", DBM__VERB_READ, ALL_BITS },
        { "SELECT pg_advisory_lock(1)", DBM__VERB_STATE, ALL_BITS },
        { "SELECT pg_catalog.pg_advisory_xact_lock(1)", DBM__VERB_READ, ALL_BITS },
        { "SELECT pg_try_advisory_lock (1) FROM t FOR UPDATE", DBM__VERB_STATE, ALL_BITS },
        { "SELECT GET_LOCK('a', 1)", DBM__VERB_STATE, ALL_BITS },
        { "SELECT set_config('a', 'b', false)", DBM__VERB_STATE, ALL_BITS },
        { "SELECT get_lock FROM t", DBM__VERB_READ, ALL_BITS },
        /* WITH */
        { "WITH a AS (SELECT 1) SELECT * FROM a", DBM__VERB_READ, ALL_BITS },
        { "WITH a(x) AS (SELECT 1), b AS (VALUES (2)) VALUES (1)", DBM__VERB_READ, ALL_BITS },
        { "(WITH a AS (SELECT 1) SELECT 1)", DBM__VERB_READ, ALL_BITS },
        { "WITH RECURSIVE update AS (SELECT 1) SELECT 1", DBM__VERB_READ, ALL_BITS },
        { "WITH a AS (SELECT 1), insert AS (SELECT 1) SELECT 1", DBM__VERB_READ, ALL_BITS },
        { "WITH a AS (SELECT replace(b, 'x', 'y'), \"INSERT\", (x).update FROM c) SELECT 1", DBM__VERB_READ, ALL_BITS },
        { "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (SELECT 1) UPDATE t SET b = 1", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (SELECT 1) DELETE FROM t", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (SELECT 1) REPLACE INTO t SELECT 1", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (SELECT 1) MERGE INTO t USING a ON 1", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (INSERT INTO t VALUES (1) RETURNING id) SELECT * FROM a", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS MATERIALIZED (/* x */ DELETE FROM t RETURNING *) SELECT 1", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (WITH b AS (SELECT 1) UPDATE t SET x = 1) SELECT 1", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (SELECT 1 FROM t FOR UPDATE) SELECT 1", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (SELECT 1) SELECT * INTO b FROM a", DBM__VERB_WRITE, ALL_BITS },
        { "WITH a AS (SELECT 1)", DBM__VERB_OTHER, ALL_BITS },
        { "WITH a AS (SELECT 1) SEARCH DEPTH FIRST BY x SET y SELECT 1", DBM__VERB_READ, ALL_BITS },
        /* EXPLAIN, ANALYZE */
        { "EXPLAIN DELETE FROM t", DBM__VERB_READ, ALL_BITS },
        { "EXPLAIN QUERY PLAN INSERT INTO t VALUES (1)", DBM__VERB_READ, ALL_BITS },
        { "EXPLAIN ANALYZE SELECT 1", DBM__VERB_READ, ALL_BITS },
        { "EXPLAIN ANALYZE DELETE FROM t", DBM__VERB_WRITE, ALL_BITS },
        { "EXPLAIN (ANALYZE, BUFFERS) UPDATE t SET a = 1", DBM__VERB_WRITE, ALL_BITS },
        { "EXPLAIN (COSTS OFF) UPDATE t SET a = 1", DBM__VERB_READ, ALL_BITS },
        { "EXPLAIN ANALYZE VERBOSE WITH a AS (DELETE FROM t RETURNING 1) SELECT 1", DBM__VERB_WRITE, ALL_BITS },
        { "EXPLAIN ANALYZE CREATE TABLE a AS SELECT 1", DBM__VERB_SCHEMA, ALL_BITS },
        { "EXPLAIN FORMAT=JSON DELETE FROM t", DBM__VERB_READ, ALL_BITS },
        { "ANALYZE", DBM__VERB_SCHEMA, ALL_BITS }, { "ANALYZE TABLE t", DBM__VERB_SCHEMA, ALL_BITS },
        { "ANALYZE t", DBM__VERB_SCHEMA, ALL_BITS },
        { "ANALYZE FORMAT=JSON UPDATE t SET a = 1", DBM__VERB_WRITE, ALL_BITS },
        { "ANALYZE SELECT 1", DBM__VERB_READ, ALL_BITS },
        /* schema */
        { "CREATE TABLE t (a)", DBM__VERB_SCHEMA, ALL_BITS }, { "CREATE UNIQUE INDEX i ON t(a)", DBM__VERB_SCHEMA, ALL_BITS },
        { "CREATE OR REPLACE VIEW v AS SELECT 1", DBM__VERB_SCHEMA, ALL_BITS }, { "DROP TABLE t", DBM__VERB_SCHEMA, ALL_BITS },
        { "ALTER TABLE t ADD a", DBM__VERB_SCHEMA, ALL_BITS }, { "TRUNCATE t", DBM__VERB_SCHEMA, ALL_BITS },
        { "VACUUM", DBM__VERB_SCHEMA, ALL_BITS },
        { "REINDEX", DBM__VERB_SCHEMA, ALL_BITS }, { "GRANT ALL ON t TO u", DBM__VERB_SCHEMA, ALL_BITS },
        { "CREATE TABLE temp (a)", DBM__VERB_SCHEMA, ALL_BITS },
        { "CREATE TEMP TABLE t (a)", DBM__VERB_STATE, ALL_BITS },
        { "CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1", DBM__VERB_STATE, ALL_BITS },
        { "CREATE LOCAL TEMP TABLE t (a)", DBM__VERB_STATE, ALL_BITS },
        { "CREATE TABLE IF NOT EXISTS temp . t (a)", DBM__VERB_STATE, ALL_BITS },
        { "CREATE TABLE \"temp\".t (a)", DBM__VERB_STATE, ALL_BITS }, { "DROP TEMPORARY TABLE t", DBM__VERB_STATE, ALL_BITS },
        { "CREATE TABLE pg_temp.t (a)", DBM__VERB_STATE, ALL_BITS },
        { "CREATE TABLE t (temp int, x text DEFAULT temp.y)", DBM__VERB_SCHEMA, ALL_BITS },
        /* the connection */
        { "SET search_path TO x", DBM__VERB_STATE, ALL_BITS }, { "SET LOCAL x = 1", DBM__VERB_READ, POSTGRES_BITS },
        { "SET LOCAL x = 1", DBM__VERB_STATE, MYSQL_BITS },
        { "SET CONSTRAINTS ALL DEFERRED", DBM__VERB_READ, POSTGRES_BITS }, { "RESET ALL", DBM__VERB_STATE, ALL_BITS },
        { "PREPARE a AS SELECT 1", DBM__VERB_STATE, ALL_BITS },
        { "LISTEN c", DBM__VERB_STATE, ALL_BITS }, { "ATTACH 'x' AS y", DBM__VERB_STATE, ALL_BITS },
        { "LOCK TABLE t", DBM__VERB_STATE, ALL_BITS },
        { "USE shop", DBM__VERB_STATE, ALL_BITS }, { "DECLARE c CURSOR FOR SELECT 1", DBM__VERB_STATE, ALL_BITS },
        { "/*!40101 SET NAMES utf8 */", DBM__VERB_STATE, MYSQL_BITS },
        /* transactions */
        { "BEGIN", DBM__VERB_TRANSACTION, ALL_BITS }, { "begin immediate;", DBM__VERB_TRANSACTION, ALL_BITS },
        { "COMMIT", DBM__VERB_TRANSACTION, ALL_BITS },
        { "ROLLBACK TO a", DBM__VERB_TRANSACTION, ALL_BITS }, { "SAVEPOINT a", DBM__VERB_TRANSACTION, ALL_BITS },
        { "RELEASE a", DBM__VERB_TRANSACTION, ALL_BITS },
        { "START TRANSACTION", DBM__VERB_TRANSACTION, ALL_BITS }, { "START REPLICA", DBM__VERB_OTHER, ALL_BITS },
        { "END", DBM__VERB_TRANSACTION, ALL_BITS },
        { "ABORT", DBM__VERB_TRANSACTION, ALL_BITS }, { "PREPARE TRANSACTION 'x'", DBM__VERB_TRANSACTION, ALL_BITS },
        { "BEGIN NOT ATOMIC SELECT 1", DBM__VERB_OTHER, ALL_BITS },
        /* pragmas */
        { "PRAGMA user_version", DBM__VERB_READ, ALL_BITS }, { "PRAGMA main.user_version", DBM__VERB_READ, ALL_BITS },
        { "PRAGMA foreign_keys", DBM__VERB_READ, ALL_BITS },
        { "PRAGMA foreign_keys = ON", DBM__VERB_STATE, ALL_BITS }, { "PRAGMA temp.cache_size(10)", DBM__VERB_STATE, ALL_BITS },
        { "PRAGMA table_info(t)", DBM__VERB_READ, ALL_BITS },
        { "pragma main.Index_List ('t')", DBM__VERB_READ, ALL_BITS },
        { "PRAGMA integrity_check(10)", DBM__VERB_READ, ALL_BITS }, { "PRAGMA foreign_key_check", DBM__VERB_READ, ALL_BITS },
        { "PRAGMA user_version = 5", DBM__VERB_WRITE, ALL_BITS }, { "PRAGMA main.application_id=1", DBM__VERB_WRITE, ALL_BITS },
        { "PRAGMA auto_vacuum = 1", DBM__VERB_WRITE, ALL_BITS },
        { "PRAGMA journal_mode", DBM__VERB_READ, ALL_BITS }, { "PRAGMA journal_mode = wal", DBM__VERB_WRITE, ALL_BITS },
        { "PRAGMA main.journal_mode('DELETE')", DBM__VERB_WRITE, ALL_BITS },
        { "PRAGMA journal_mode = MEMORY", DBM__VERB_STATE, ALL_BITS }, { "PRAGMA wal_checkpoint", DBM__VERB_WRITE, ALL_BITS },
        { "PRAGMA main.wal_checkpoint(TRUNCATE)", DBM__VERB_WRITE, ALL_BITS },
        { "PRAGMA incremental_vacuum(10)", DBM__VERB_WRITE, ALL_BITS },
        { "PRAGMA optimize", DBM__VERB_WRITE, ALL_BITS }, { "PRAGMA table_info_of_mine(1)", DBM__VERB_STATE, ALL_BITS },
        { "PRAGMA", DBM__VERB_READ, ALL_BITS },
        { "PRAGMA = 1", DBM__VERB_OTHER, ALL_BITS },
        /* several: the first says it, but for a reading one */
        { "SELECT 1; DELETE FROM t", DBM__VERB_OTHER, ALL_BITS }, { "BEGIN; DELETE FROM t", DBM__VERB_TRANSACTION, ALL_BITS },
        { "SELECT 1;", DBM__VERB_READ, ALL_BITS }
    };
    size_t i, b;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        for (b = 0; b < COUNT(backends); b++) {
            dbm__parsed p;
            if (cases[i].bits != ALL_BITS && cases[i].bits != backends[b]) continue;
            assert_int_equal(parse(cases[i].sql, strlen(cases[i].sql), DBM_PH_QUESTION, backends[b], false, &p), DBM_OK);
            if (p.verb != cases[i].verb) fail_msg("%s: verb %d, not %d", cases[i].sql, (int)p.verb, (int)cases[i].verb);
            dbm__parsed_free(&host, &p);
        }
    }
}

typedef struct flag_case {
    const char *sql;
    bool returning, random, several;
    unsigned bits;
} flag_case;

static void test_flags(void **state) {
    static const flag_case cases[] = {
        { "SELECT 1", false, false, false, SQLITE_BITS },
        { "INSERT INTO t VALUES (1) returning id", true, false, false, SQLITE_BITS },
        { "INSERT INTO t VALUES ('RETURNING') -- RETURNING", false, false, false, SQLITE_BITS },
        { "SELECT \"returning\", t.returning", false, false, false, SQLITE_BITS },
        { "SELECT RANDOM()", false, true, false, SQLITE_BITS }, { "SELECT random /* x */ ()", false, true, false, SQLITE_BITS },
        { "SELECT hex(randomblob(4))", false, true, false, SQLITE_BITS },
        { "SELECT \"random\"(), 1", false, true, false, SQLITE_BITS },
        { "SELECT random, myrandom(), t.random", false, false, false, SQLITE_BITS },
        { "SELECT 1;", false, false, false, SQLITE_BITS }, { "SELECT 1; -- x\n ; /* y */ ;", false, false, false, SQLITE_BITS },
        { ";;SELECT 1;", false, false, false, SQLITE_BITS },
        { "SELECT 1; x", false, false, true, SQLITE_BITS }, { "SELECT ';', (1;2)", false, false, false, SQLITE_BITS },
        { "SELECT 1;;(", false, false, true, SQLITE_BITS },
        { "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM u; SELECT random(); END", false, true, false, SQLITE_BITS },
        { "CREATE TRIGGER a AFTER INSERT ON t BEGIN DELETE FROM u; END; SELECT 1", false, false, true, SQLITE_BITS },
        { "SELECT 1 /*!; */", false, false, false, MYSQL_BITS },
        { "/*! SELECT 1 */; /*!40000 SELECT 2 */", false, false, true, MYSQL_BITS }
    };
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        dbm__parsed p;
        assert_int_equal(parse(cases[i].sql, strlen(cases[i].sql), DBM_PH_QUESTION, cases[i].bits, false, &p), DBM_OK);
        if (p.returning != cases[i].returning || p.random != cases[i].random || p.several != cases[i].several) {
            fail_msg("%s", cases[i].sql);
        }
        dbm__parsed_free(&host, &p);
    }
}

/* Another language: its words are no verbs, its semicolons no ends; placeholders and names are rewritten as in SQL. */
static void test_not_sql(void **state) {
    static const char *const texts[] = { "set ? ?", "BEGIN ?", "SELECT 1", "get ?; random() returning", "COMMIT; x", "DELETE ?" };
    dbm__parsed p;
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(texts); i++) {
        assert_int_equal(parse(texts[i], strlen(texts[i]), DBM_PH_QUESTION, DBM_LEX_NOT_SQL, false, &p), DBM_OK);
        if (p.verb != DBM__VERB_OTHER || p.several || p.random || p.returning) fail_msg("%s", texts[i]);
        assert_string_equal(p.sql, texts[i]);
        dbm__parsed_free(&host, &p);
    }
    assert_int_equal(parse("set :k :v '?'", 13, DBM_PH_QUESTION, DBM_LEX_NOT_SQL, true, &p), DBM_OK);
    assert_string_equal(p.sql, "set ? ? '?'");
    check_names(&p, "k,v");
    dbm__parsed_free(&host, &p);
}

/* ---- scripts -------------------------------------------------------------------------------------------------------- */

/* The statements of a script, each in < and >. */
static void split(const char *script, unsigned bits, char *block, size_t capacity) {
    size_t size = strlen(script), at, next, n;
    char *copy = exact(script, size);
    dbm__text t = dbm__text_in(block, capacity);
    for (at = 0; at < size; at += next) {
        n = dbm__sql_statement_end(copy + at, size - at, bits, &next);
        assert_true(next > 0 && next <= size - at && n <= next);
        if (!n) continue;
        dbm__put(&t, "<");
        dbm__put_n(&t, copy + at, n);
        dbm__put(&t, ">");
    }
    assert_false(t.cut);
    free(copy);
}

typedef struct split_case {
    const char *script, *expected;
    unsigned bits;
} split_case;

static void test_scripts(void **state) {
    static const split_case cases[] = {
        { "", "", SQLITE_BITS }, { " \n-- x", "", SQLITE_BITS }, { ";;", "", SQLITE_BITS }, { "a", "<a>", SQLITE_BITS },
        { "a;", "<a>", SQLITE_BITS },
        { "a;b", "<a><b>", SQLITE_BITS }, { "a; -- c\n ;; /* d */ ; b ;\n", "<a>< b >", SQLITE_BITS },
        { "-- c\na;", "<-- c\na>", SQLITE_BITS },
        { "a ';' b; \"c;\"; [d;]; `e;`; /*;*/ f -- ;\n; g", "<a ';' b>< \"c;\">< [d;]>< `e;`>< /*;*/ f -- ;\n>< g>",
          SQLITE_BITS },
        { "a (b; c); d); e", "<a (b; c)>< d)>< e>", SQLITE_BITS }, { "a 'b; c", "<a 'b; c>", SQLITE_BITS },
        { "a; /* b; c", "<a>< /* b; c>", SQLITE_BITS },
        { "CREATE TRIGGER x AFTER INSERT ON t BEGIN a; b; END; c", "<CREATE TRIGGER x AFTER INSERT ON t BEGIN a; b; END>< c>",
          SQLITE_BITS },
        { "create temp trigger if not exists x on t begin update t set a = case b when 1 then 2 end; end; c",
          "<create temp trigger if not exists x on t begin update t set a = case b when 1 then 2 end; end>< c>", SQLITE_BITS },
        { "CREATE TRIGGER end ON t WHEN new.begin > new.end BEGIN UPDATE t SET end = 1, begin = 2; "
          "SELECT CASE 1 WHEN 2 THEN 3 END; END; c",
          "<CREATE TRIGGER end ON t WHEN new.begin > new.end BEGIN UPDATE t SET end = 1, begin = 2; "
          "SELECT CASE 1 WHEN 2 THEN 3 END; END>< c>", SQLITE_BITS },
        { "EXPLAIN QUERY PLAN CREATE TEMPORARY TRIGGER x BEGIN a; /* ; */ END ; c",
          "<EXPLAIN QUERY PLAN CREATE TEMPORARY TRIGGER x BEGIN a; /* ; */ END >< c>", SQLITE_BITS },
        { "BEGIN; a; END; b", "<BEGIN>< a>< END>< b>", SQLITE_BITS },
        { "CREATE TABLE trigger (begin); a; END", "<CREATE TABLE trigger (begin)>< a>< END>", SQLITE_BITS },
        { "DROP TRIGGER x; BEGIN; a", "<DROP TRIGGER x>< BEGIN>< a>", SQLITE_BITS },
        { "CREATE TRIGGER x EXECUTE FUNCTION begin(); a; b", "<CREATE TRIGGER x EXECUTE FUNCTION begin()>< a>< b>",
          POSTGRES_BITS },
        { "CREATE FUNCTION f() AS $$ BEGIN; a; END; $$; b", "<CREATE FUNCTION f() AS $$ BEGIN; a; END; $$>< b>",
          POSTGRES_BITS },
        { "CREATE OR REPLACE FUNCTION begin() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END; b",
          "<CREATE OR REPLACE FUNCTION begin() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END>< b>",
          POSTGRES_BITS },
        { "CREATE PROCEDURE p() BEGIN ATOMIC END; b", "<CREATE PROCEDURE p() BEGIN ATOMIC END>< b>", POSTGRES_BITS },
        { "CREATE RULE r AS ON INSERT TO t DO (a; b); c", "<CREATE RULE r AS ON INSERT TO t DO (a; b)>< c>", POSTGRES_BITS },
        { "a /* /* ; */ ; */ E'\\';'; b", "<a /* /* ; */ ; */ E'\\';'>< b>", POSTGRES_BITS },
        { "a '\\'; b", "<a '\\'>< b>", POSTGRES_BITS },
        { "a '\\';' # ;\n; b", "<a '\\';' # ;\n>< b>", MYSQL_BITS }, { "a 5--;'b;'", "<a 5--><'b;'>", MYSQL_BITS },
        { "CREATE DEFINER = `a`@`%` PROCEDURE p() BEGIN IF 1 THEN a; END IF; BEGIN END; LOOP b; END LOOP; "
          "CASE 1 WHEN 1 THEN c; END CASE; END; d",
          "<CREATE DEFINER = `a`@`%` PROCEDURE p() BEGIN IF 1 THEN a; END IF; BEGIN END; LOOP b; END LOOP; "
          "CASE 1 WHEN 1 THEN c; END CASE; END>< d>", MYSQL_BITS },
        { "CREATE EVENT e DO BEGIN a; WHILE 1 DO b; END WHILE; END; c",
          "<CREATE EVENT e DO BEGIN a; WHILE 1 DO b; END WHILE; END>< c>", MYSQL_BITS },
        { "CREATE FUNCTION f() RETURNS INT RETURN 1; c", "<CREATE FUNCTION f() RETURNS INT RETURN 1>< c>", MYSQL_BITS },
        { "CREATE DEFINER=u VIEW v AS SELECT event, begin; c", "<CREATE DEFINER=u VIEW v AS SELECT event, begin>< c>",
          MYSQL_BITS },
        { "/*!40101 SET NAMES utf8 */; /*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEGIN a; END */; c",
          "</*!40101 SET NAMES utf8 */>< /*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEGIN a; END */>< c>",
          MYSQL_BITS }
    };
    char block[1024];
    size_t i, next = 7;
    (void)state;
    for (i = 0; i < COUNT(cases); i++) {
        split(cases[i].script, cases[i].bits, block, sizeof block);
        assert_string_equal(block, cases[i].expected);
    }
    assert_int_equal(dbm__sql_statement_end("", 0, 0, &next), 0);
    assert_int_equal(next, 0);
    assert_int_equal(dbm__sql_statement_end("a\0b;c", 5, 0, &next), 3); /* a NUL is for dbm__sql_parse to refuse */
    assert_int_equal(next, 4);
}

/* ---- names ---------------------------------------------------------------------------------------------------------- */

static void test_ident(void **state) {
    char block[32];
    size_t capacity;
    (void)state;
    assert_int_equal(dbm__sql_ident(block, sizeof block, "users", '"'), DBM_OK);
    assert_string_equal(block, "\"users\"");
    assert_int_equal(dbm__sql_ident(block, sizeof block, "a\"b", '"'), DBM_OK);
    assert_string_equal(block, "\"a\"\"b\"");
    assert_int_equal(dbm__sql_ident(block, sizeof block, "a`b\"", '`'), DBM_OK);
    assert_string_equal(block, "`a``b\"`");
    assert_int_equal(dbm__sql_ident(block, sizeof block, "s.t", '"'), DBM_OK);
    assert_string_equal(block, "\"s.t\"");
    for (capacity = 0; capacity < 8; capacity++) {
        memset(block, 'x', sizeof block);
        assert_int_equal(dbm__sql_ident(block, capacity, "a\"bc", '"'), DBM_E_RANGE);
        assert_non_null(strstr(dbm_last_error()->message, "needs 8 bytes"));
        assert_int_equal(block[0], capacity ? 0 : 'x');
        assert_int_equal(block[capacity ? capacity : 1], 'x');
    }
    assert_int_equal(dbm__sql_ident(block, 8, "a\"bc", '"'), DBM_OK);
    assert_string_equal(block, "\"a\"\"bc\"");
    assert_int_equal(dbm__sql_ident(NULL, 8, "a", '"'), DBM_E_RANGE);
    assert_int_equal(dbm__sql_ident(block, sizeof block, "", '"'), DBM_E_MISUSE);
    assert_string_equal(block, "");
    assert_int_equal(dbm__sql_ident(block, sizeof block, NULL, '"'), DBM_E_MISUSE);
}

#if !defined(DBM_TEST_SPLIT)
static void test_words_are_sorted(void **state) {
    int i;
    (void)state;
    for (i = 1; i < DBM__KW_COUNT; i++) {
        char lower[64];
        size_t n = strlen(dbm__kw_table[i].word), k;
        if (i > 1) assert_true(strcmp(dbm__kw_table[i - 1].word, dbm__kw_table[i].word) < 0);
        for (k = 0; k <= n; k++) {
            char c = dbm__kw_table[i].word[k];
            lower[k] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        assert_int_equal(dbm__lex_code(lower, n), i);
        assert_int_equal(dbm__lex_code(lower, n - 1) == i, 0);
    }
    assert_true(DBM__KW_COUNT < DBM__CODE_VALUE);
    assert_int_equal(dbm__lex_code("", 0), DBM__KW_NONE);
    assert_int_equal(dbm__lex_code("zzz", 3), DBM__KW_NONE);
}
#endif

/* ---- faults, hostile texts, time ------------------------------------------------------------------------------------ */

static void test_no_memory(void **state) {
    static const char *const texts[] = { "SELECT ?, ?", "SELECT :a, :b, :a", "SELECT 1" };
    size_t i;
    int way;
    (void)state;
    for (i = 0; i < COUNT(texts); i++) {
        for (way = 0; way < 4; way++) {
            dbm_placeholders ph = way & 1 ? DBM_PH_DOLLAR : DBM_PH_QUESTION;
            bool named = (way & 2) != 0;
            long n = 0, before;
            dbm__parsed p;
            if (named && i == 0) continue;
            do {
                before = heap.failed;
                test_heap_fail(&heap, ++n);
                if (parse(texts[i], strlen(texts[i]), ph, POSTGRES_BITS, named, &p) != DBM_OK) {
                    assert_int_equal(dbm_last_error()->status, DBM_E_NOMEM);
                    assert_int_equal(dbm_last_error()->stage, DBM_STAGE_STATEMENT);
                    assert_string_equal(dbm_last_error()->site, "shop.c:7");
                    assert_null(p.sql);
                    assert_true(heap.failed > before);
                } else {
                    assert_true(heap.failed == before);
                    dbm__parsed_free(&host, &p);
                }
                assert_int_equal(test_heap_live(&heap), 0);
            } while (heap.failed > before);
            assert_int_equal(n, 2 + (named && i == 1 ? (ph == DBM_PH_DOLLAR ? 3 : 2) : 0));
        }
    }
    test_heap_fail(&heap, 0);
}

static uint32_t seed = 12345;
static uint32_t draw(uint32_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* What must hold for every text. */
static void check_any(const char *text, size_t size) {
    static const unsigned all_bits[] = { 0, SQLITE_BITS, POSTGRES_BITS, MYSQL_BITS, 255 };
    size_t b, at, next, n;
    int way;
    for (b = 0; b < COUNT(all_bits); b++) {
        for (way = 0; way < 6; way++) {
            dbm__parsed p, again;
            dbm_status status = parse(text, size, (dbm_placeholders)(way % 3), all_bits[b], way >= 3, &p);
            if (status != DBM_OK) {
                assert_true(status == DBM_E_MISUSE || status == DBM_E_LIMIT);
                assert_null(p.sql);
                continue;
            }
            assert_int_equal(strlen(p.sql), p.size);
            if (way % 3 == DBM_PH_DOLLAR && !memchr(text, '?', size)) { /* what we wrote is read as what we meant */
                assert_int_equal(parse(p.sql, p.size, DBM_PH_DOLLAR, all_bits[b], false, &again), DBM_OK);
                assert_string_equal(again.sql, p.sql);
                assert_int_equal(again.verb, p.verb);
                assert_true(again.parameters == p.parameters);
                dbm__parsed_free(&host, &again);
            }
            dbm__parsed_free(&host, &p);
        }
        for (at = 0; at < size; at += next) {
            dbm__parsed p;
            n = dbm__sql_statement_end(text + at, size - at, all_bits[b], &next);
            assert_true(next > 0 && next <= size - at && n <= next);
            if (!n || parse(text + at, n, DBM_PH_QUESTION, all_bits[b], false, &p) != DBM_OK) continue;
            assert_false(p.several);
            dbm__parsed_free(&host, &p);
        }
    }
}

static void test_random_texts(void **state) {
    static const char *const pieces[] = {
        "SELECT ", "'", "''", "\"", "`", "[", "]", "$", "$a$", "$1", "$$", "?", "??", "?1", ":a", "::", ":=", "--", "-- ", "/*",
        "*/", "/*!1 ", "\n", "\r", " ", ";", "(", ")",
        "\\", "E'", "#", "BEGIN ", "END ", "CREATE ", "TRIGGER ", "WITH ", "a", "1", ".", ",", "\xEF\xBB\xBF", "\x80",
        "PRAGMA ", "=", "EXPLAIN ", "ANALYZE ", "INTO ", "@"
    };
    char text[256];
    int round, i, count;
    (void)state;
    for (round = 0; round < 4000; round++) {
        size_t size = 0;
        count = (int)draw(30);
        for (i = 0; i < count; i++) {
            const char *piece = pieces[draw((uint32_t)COUNT(pieces))];
            memcpy(text + size, piece, strlen(piece));
            size += strlen(piece);
        }
        check_any(text, size);
        size = draw(40);
        for (i = 0; i < (int)size; i++) text[i] = (char)(draw(8) ? " '\"`[]$?:-/*\\;()#aE1."[draw(21)] : (int)draw(256));
        check_any(text, size);
    }
}

/* A megabyte of each trap, in time that grows with its length alone. */
static void test_linear_time(void **state) {
    static const char *const traps[] = {
        "?", "??", "? ", ":a", ":a ", "::", "$", "$a", "$a ", "$a$", "$1 ", "'", "''", "' ", "E'a'\n", "E'a'\n--b\n", "E'\\'",
        "\"", "`", "[", "]", "/*", "*/", "/**/", "/*!", "--", "-- \n", "#",
        "(", ")", ";", "BEGIN;", "END;", "a.", "a", "1", "CREATE TRIGGER a BEGIN ", "CREATE PROCEDURE a BEGIN ", "WITH a AS (",
        "\n", "\xEF\xBB\xBF", "PRAGMA ", "EXPLAIN ", "FOR ", "\x80"
    };
    static const unsigned all_bits[] = { SQLITE_BITS, POSTGRES_BITS, MYSQL_BITS };
    size_t size = 1u << 20, i, b, at, next;
    char *text = (char *)malloc(size);
    clock_t begun = clock();
    int way;
    (void)state;
    assert_non_null(text);
    for (i = 0; i < COUNT(traps); i++) {
        for (at = 0; at < size; at++) text[at] = traps[i][at % strlen(traps[i])];
        for (b = 0; b < COUNT(all_bits); b++) {
            for (way = 0; way < 2; way++) {
                dbm__parsed p;
                dbm_placeholders ph = b == 1 ? DBM_PH_DOLLAR : DBM_PH_QUESTION;
                (void)dbm__sql_parse(&host, text, size, ph, all_bits[b], way != 0, "", "", &p);
                dbm__parsed_free(&host, &p);
            }
            for (at = 0; at < size; at += next) (void)dbm__sql_statement_end(text + at, size - at, all_bits[b], &next);
        }
    }
    free(text);
    /* Anything quadratic needs hours; this bound only has to tell the two apart on the slowest machine. */
    assert_true((double)(clock() - begun) / CLOCKS_PER_SEC < 300.0);
}

/* ---- SQLite's opinion ------------------------------------------------------------------------------------------------ */

#if DBM_HAS_SQLITE
static sqlite3 *open_sample(void) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE t(a, b, \"begin\", \"end\"); CREATE TABLE u(c)", NULL, NULL, NULL),
                     SQLITE_OK);
    return db;
}

/* Walks a script with both: the same statements, the same numbers of placeholders, the same ends; true when SQLite
 * understood all of it. */
static bool agree(sqlite3 *db, const char *script) {
    size_t size = strlen(script), at = 0, next = 0, n;
    for (;;) {
        sqlite3_stmt *statement = NULL;
        const char *tail = NULL;
        dbm__parsed p;
        size_t theirs = at;
        do { /* SQLite hands out an empty statement for a comment alone */
            if (sqlite3_prepare_v2(db, script + theirs, (int)(size - theirs), &statement, &tail) != SQLITE_OK) return false;
            theirs = (size_t)(tail - script);
        } while (!statement && theirs < size);
        for (n = 0; at < size && !n; at += next) n = dbm__sql_statement_end(script + at, size - at, SQLITE_BITS, &next);
        if (!statement) {
            if (n) fail_msg("a statement at %d that SQLite does not see: %s", (int)(at - next), script);
            return true;
        }
        if (!n || at != theirs) fail_msg("SQLite's statement ends at %d, ours at %d: %s", (int)theirs, (int)at, script);
        if (parse(script + at - next, n, DBM_PH_QUESTION, SQLITE_BITS, false, &p) != DBM_OK) {
            fail_msg("%s: %s", dbm_last_error()->message, script);
        }
        if (p.parameters != sqlite3_bind_parameter_count(statement)) fail_msg("%d placeholders: %s", p.parameters, script);
        if (p.several) fail_msg("several: %s", script);
        /* A statement that SQLite knows to write is never taken for one that reads; the other way round is only slower.
         * EXPLAIN counts as what it explains. */
        if (p.verb == DBM__VERB_READ && !sqlite3_stmt_readonly(statement) && !sqlite3_stmt_isexplain(statement)) {
            fail_msg("it writes: %s", script);
        }
        assert_int_equal(p.size, n);
        dbm__parsed_free(&host, &p);
        sqlite3_finalize(statement);
    }
}

static void test_sqlite_agrees(void **state) {
    static const char *const corpus[] = {
        "SELECT 1", "SELECT ?, '?', \"a\", [b], `a` FROM t WHERE a = ?", "SELECT 'it''s ?;', x'3f' ;", ";;; SELECT ?;;",
        "-- ?\nSELECT /* ?; */ ?;-- ;", "INSERT INTO t(a, b) VALUES (?,?),(?,?);SELECT ?",
        "SELECT [a;?] FROM (SELECT 1 AS [a;?]); SELECT `x``?;` FROM (SELECT 1 AS `x``?;`)",
        "SELECT \"q\"\"?;\" FROM (SELECT 1 AS \"q\"\"?;\")",
        "WITH x AS (SELECT ?) SELECT * FROM x; DELETE FROM t WHERE a IN (SELECT ?)",
        "CREATE TRIGGER z AFTER INSERT ON t BEGIN UPDATE t SET a = CASE WHEN b THEN 1 ELSE 2 END; DELETE FROM u; END; SELECT ?",
        ("CREATE TEMP TRIGGER IF NOT EXISTS z BEFORE UPDATE OF a ON t WHEN new.begin < new.end BEGIN "
        "SELECT CASE WHEN 1 THEN RAISE(ABORT, 'no; END;') END; UPDATE u SET c = 1; END ;SELECT ?;"),
        "CREATE TRIGGER end AFTER DELETE ON t BEGIN UPDATE t SET end = 1, begin = end; END; SELECT 2",
        "EXPLAIN QUERY PLAN SELECT ?; EXPLAIN SELECT ?;SELECT 1",
        "EXPLAIN CREATE TRIGGER z AFTER INSERT ON t BEGIN DELETE FROM u; SELECT 1; END; SELECT ?",
        "CREATE TABLE v(a CHECK (a IN ('x;y', ';'))); SELECT 1", "BEGIN; SELECT ?; END; SELECT 1; COMMIT",
        "SELECT a, 8-?, 8--?\n/? FROM t", "SELECT ?/**/+?", "SELECT/*/ ? */?", "SELECT '\\', ?, '\\'",
        "SELECT 1e5, .5, 0x1F, ?, a.b FROM t a", "\xEF\xBB\xBFSELECT ?", "", ";", "  -- only\n", "/* only */;/* more */",
        "SELECT CASE ? WHEN 1 THEN ? END; SELECT 1",
        "REPLACE INTO t(a) VALUES (?) ; SELECT caf\xC3\xA9 FROM (SELECT 1 AS caf\xC3\xA9)",
        "UPDATE t SET a = ? WHERE b = ? RETURNING a; SELECT 1",
        "PRAGMA table_info(t); PRAGMA user_version; PRAGMA user_version = 5; SELECT ?",
        "VACUUM; REINDEX; ANALYZE; ATTACH ? AS x; SELECT ?",
        "SAVEPOINT a; RELEASE a; DROP TABLE IF EXISTS temp.q; VALUES (?),(?)"
    };
    sqlite3 *db = open_sample();
    size_t i;
    (void)state;
    for (i = 0; i < COUNT(corpus); i++) {
        if (!agree(db, corpus[i])) {
            fail_msg("SQLite refuses %s: %s", corpus[i], sqlite3_errmsg(db));
        }
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_sqlite_agrees_random(void **state) {
    static const char *const terms[] = {
        "?", "'?'", "'a;''?'", "1 /* ?;' */", "2 -- ?;\"\n", "(?)", "(SELECT ?)", "CASE ? WHEN 1 THEN ';' ELSE ? END", "x'00'",
        "1.5e3", "-?", "- -?", "coalesce(?, ?)", "?||';'", "\"a\"", "[a]", "`a`", "t.end", "t.\"begin\"",
        "? IN (1,?)", "max(1,?)", "NOT ?", "5/?", "5*?", "t.a IS ?", "'\\'", "\"say ?;\"", "?\r\n", "\t?", "random()",
        "(SELECT c FROM u WHERE c = ?)", "?1", ":x", "/* */?", "cast(? AS TEXT)"
    };
    static const char *const heads[] = {
        "SELECT ", "  SELECT DISTINCT ", "/* ; */SELECT ", "select/**/", "EXPLAIN SELECT ", "WITH w(x) AS (SELECT ?) SELECT ",
        "-- ;?\nSELECT ", "VALUES"
    };
    static const char *const ends[] = { ";", " ;", ";;", "; -- c;?\n", " -- c;\n;", "/*;*/;", ";\n\n", "; ; /* ? */ ;" };
    static const char *const triggers[] = {
        "CREATE TRIGGER z AFTER INSERT ON t BEGIN ", "CREATE TEMP TRIGGER z AFTER UPDATE ON t WHEN new.end BEGIN ",
        "create temporary trigger if not exists main_z before delete on t begin ",
        "CREATE /* ; */ TRIGGER \"END\" INSTEAD OF DELETE ON v BEGIN ", "EXPLAIN CREATE TRIGGER begin AFTER INSERT ON t BEGIN "
    };
    static const char *const bodies[] = {
        "DELETE FROM u;", "UPDATE t SET end = begin;", "SELECT CASE WHEN 1 THEN 2 END;", "INSERT INTO u VALUES (';END;');",
        "/* END; */ SELECT 1;", "SELECT CASE 1 WHEN 2 THEN CASE 3 WHEN 4 THEN 5 END END AS end;"
    };
    sqlite3 *db = open_sample();
    int round, understood = 0;
    (void)state;
    assert_int_equal(sqlite3_exec(db, "CREATE VIEW v AS SELECT * FROM u", NULL, NULL, NULL), SQLITE_OK);
    for (round = 0; round < 20000; round++) {
        char script[2048];
        dbm__text t = dbm__text_in(script, sizeof script);
        uint32_t statements = 1 + draw(4), i, k, count;
        bool foreign = false;
        for (i = 0; i < statements; i++) {
            if (draw(4) == 0) {
                dbm__put(&t, triggers[draw((uint32_t)COUNT(triggers))]);
                for (k = 0, count = 1 + draw(3); k < count; k++) dbm__put(&t, bodies[draw((uint32_t)COUNT(bodies))]);
                dbm__put(&t, draw(2) ? "END" : " END ");
            } else {
                uint32_t head = draw((uint32_t)COUNT(heads));
                dbm__put(&t, heads[head]);
                if (head == 7) dbm__put(&t, "(");
                for (k = 0, count = 1 + draw(4); k < count; k++) {
                    const char *term = terms[draw((uint32_t)COUNT(terms))];
                    if (!strcmp(term, "?1") || !strcmp(term, ":x")) foreign = true;
                    if (k) dbm__put(&t, ",");
                    dbm__put(&t, term);
                }
                dbm__put(&t, head == 7 ? ")" : " FROM t");
            }
            dbm__put(&t, ends[draw((uint32_t)COUNT(ends))]);
        }
        if (t.cut) continue;
        if (foreign) check_any(script, t.size); /* SQLite counts those differently */
        else understood += agree(db, script);
    }
    assert_true(understood > 5000); /* else the test says little */
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions), cmocka_unit_test(test_dollars), cmocka_unit_test(test_native),
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_errors), cmocka_unit_test(test_line), cmocka_unit_test(test_limit), cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_flags), cmocka_unit_test(test_not_sql), cmocka_unit_test(test_scripts), cmocka_unit_test(test_ident),
#if !defined(DBM_TEST_SPLIT)
        cmocka_unit_test(test_words_are_sorted),
#endif
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_random_texts), cmocka_unit_test(test_linear_time),
#if DBM_HAS_SQLITE
        cmocka_unit_test(test_sqlite_agrees), cmocka_unit_test(test_sqlite_agrees_random)
#endif
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
