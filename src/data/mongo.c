/* MongoDB's calls: what was passed becomes one command of the backend's own, its answer rows.
 * May call: the calls of session/, sql/'s reading of values, base/.
 * Must not know: BSON, the driver. JSON only as far as it must know whether a command writes. */
#include "data.h"

/* Of a command's values the first are these, then come the documents, then the values for their placeholders. */
enum { DBM__MONGO_NAME, DBM__MONGO_COLL, DBM__MONGO_OPTIONS, DBM__MONGO_DOCUMENTS, DBM__MONGO_HEAD };
/* As the adapter knows them; [0] is none. */
static const char *const dbm__mongo_names[] = {
    "", "insert", "insert_many", "find", "find_one", "update", "update_many", "replace", "delete", "delete_many", "count", "aggregate", "create_index",
    "drop", "command"
};

typedef struct dbm__mongo_call {
    dbm_session *on;
    const char *site;
    int call;
    int count;
    bool writes;
    dbm_value values[DBM__MONGO_HEAD + 2 + DBM__MAX_VALUES];
} dbm__mongo_call;

static bool dbm__mongo_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Whether a JSON text has this text, quotes and all, among its strings. */
static bool dbm__mongo_has(const char *json, const char *word) {
    size_t size = strlen(word);
    const char *c = json;
    while (*c != 0) {
        const char *begin = c;
        if (*c++ != '"') continue;
        while (*c != 0 && *c != '"') c += *c == '\\' && c[1] != 0 ? 2 : 1;
        if (*c == '"') c++;
        if ((size_t)(c - begin) == size && memcmp(begin, word, size) == 0) return true;
    }
    return false;
}

/* Whether a command changes anything, by its name, which comes first; one that is not known here is taken for one that does. */
static bool dbm__mongo_command_writes(const char *json) {
    static const char *const reads[] = {
        "ping", "hello", "isMaster", "find", "count", "distinct", "getMore", "listCollections", "listIndexes", "listDatabases", "dbStats", "collStats",
        "serverStatus", "buildInfo", "explain", "connectionStatus", "hostInfo", "getParameter", "currentOp", "validate", "top", "dataSize", "whatsmyuri"
    };
    const char *end;
    size_t i;
    while (dbm__mongo_blank(*json) || *json == '{') json++;
    if (*json++ != '"') return true;
    end = strchr(json, '"');
    if (end == NULL) return true;
    for (i = 0; i < sizeof reads / sizeof reads[0]; i++) if (strlen(reads[i]) == (size_t)(end - json) && strncmp(json, reads[i], (size_t)(end - json)) == 0) return false;
    if ((size_t)(end - json) == 9 && strncmp(json, "aggregate", 9) == 0) return dbm__mongo_has(json, "\"$out\"") || dbm__mongo_has(json, "\"$merge\"");
    return true;
}

static bool dbm__mongo_writes(int call, const char *json) {
    switch (call) {
    case DBM__MONGO_FIND: case DBM__MONGO_FIND_ONE: case DBM__MONGO_COUNT: return false;
    case DBM__MONGO_AGGREGATE: return dbm__mongo_has(json, "\"$out\"") || dbm__mongo_has(json, "\"$merge\"");
    case DBM__MONGO_COMMAND: return dbm__mongo_command_writes(json);
    default: return true;
    }
}

/* Whether the target is one of MongoDB. A target that is none at all goes on, to be refused as it is everywhere. */
static dbm_status dbm__mongo_allowed(dbm_session *on, const char *site, const char *call) {
    dbm_database *db = dbm__on_database(on);
    if (db == NULL || dbm__same_word(db->adapter->type, "mongodb")) return DBM_OK;
    return dbm__on_fail(on, DBM_E_UNSUPPORTED, site, "dbm_mongo_%s works on databases of type 'mongodb', and this one is of type %q", call, db->adapter->type);
}

/* Checks the call's values, which stand behind the head and `documents` texts, and puts the options in their place. */
static dbm_status dbm__mongo_finish(dbm__mongo_call *m, int documents, int count) {
    int i, first = DBM__MONGO_HEAD + documents, n = first;
    for (i = first; i < first + count; i++) {
        dbm_value *v = &m->values[i];
        if (v->name != NULL && strcmp(v->name, "(options)") == 0) {
            if (m->values[DBM__MONGO_OPTIONS].type != DBM_TYPE_NULL) {
                return dbm__on_fail(m->on, DBM_E_MISUSE, m->site, "dbm_mongo_options is given twice: put all options into one text");
            }
            m->values[DBM__MONGO_OPTIONS] = *v;
            continue;
        }
        if (v->name != NULL && strcmp(v->name, "(bson)") != 0 && strcmp(v->name, "(oid)") != 0) {
            return dbm__on_fail(m->on, DBM_E_MISUSE, m->site, "dbm_named(%q, ...): JSON has no placeholders with names; write ?, and pass the values in order", v->name);
        }
        m->values[n++] = *v;
    }
    m->count = n;
    return DBM_OK;
}

/* The head and the texts. */
static dbm_status dbm__mongo_begin(dbm__mongo_call *m, dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json,
                                   int *documents) {
    dbm_status st = dbm__mongo_allowed(on, site, dbm__mongo_names[call]);
    m->on = on;
    m->site = site;
    m->call = call;
    m->count = 0;
    m->writes = false;
    *documents = 0;
    if (st != DBM_OK) return st;
    if (call != DBM__MONGO_COMMAND && (coll == NULL || coll[0] == 0)) {
        return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_mongo_%s: the collection has no name", dbm__mongo_names[call]);
    }
    if ((json == NULL && call != DBM__MONGO_DROP) || (filter == NULL && (call == DBM__MONGO_UPDATE || call == DBM__MONGO_UPDATE_MANY || call == DBM__MONGO_REPLACE))) {
        return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_mongo_%s: a text is NULL; {} is the empty document", dbm__mongo_names[call]);
    }
    if (call == DBM__MONGO_FIND && json != NULL) {
        const char *c = json;
        while (dbm__mongo_blank(*c)) c++;
        if (*c == '[') call = DBM__MONGO_AGGREGATE;
    }
    m->call = call; /* which is a pipeline's now, perhaps */
    m->writes = dbm__mongo_writes(call, json != NULL ? json : "");
    m->values[DBM__MONGO_NAME] = dbm_textn(dbm__mongo_names[call], strlen(dbm__mongo_names[call]));
    m->values[DBM__MONGO_COLL] = coll != NULL ? dbm_textn(coll, strlen(coll)) : dbm_null();
    m->values[DBM__MONGO_OPTIONS] = dbm_null();
    if (filter != NULL) m->values[DBM__MONGO_HEAD + (*documents)++] = dbm_textn(filter, strlen(filter));
    if (json != NULL) m->values[DBM__MONGO_HEAD + (*documents)++] = dbm_textn(json, strlen(json));
    m->values[DBM__MONGO_DOCUMENTS] = dbm_int(*documents);
    return DBM_OK;
}

/* What a call gives back, beside its status. */
enum { DBM__MONGO_WANT_NOTHING, DBM__MONGO_WANT_ROWS, DBM__MONGO_WANT_ROW, DBM__MONGO_WANT_COUNT };

static dbm_status dbm__mongo_clear(dbm_session *on, const char *site, int call, int want, void *out) {
    static const char *const names[] = { "", "rows", "row", "n" };
    if (want == DBM__MONGO_WANT_NOTHING) return DBM_OK;
    if (out == NULL) return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_mongo_%s: %s is NULL", dbm__mongo_names[call], names[want]);
    if (want == DBM__MONGO_WANT_ROWS) *(dbm_rows **)out = NULL;
    else if (want == DBM__MONGO_WANT_ROW) *(dbm_row **)out = NULL;
    else *(int64_t *)out = 0;
    return DBM_OK;
}

/* Runs it. One document that is not there is E_NOT_FOUND, which does not stick. */
static dbm_status dbm__mongo_run(const dbm__mongo_call *m, int want, void *out) {
    dbm_rows *rows = NULL;
    dbm_row *row = NULL;
    dbm_status st;
    if (want == DBM__MONGO_WANT_NOTHING || want == DBM__MONGO_WANT_ROWS) {
        st = dbm__command(m->on, m->site, m->values, m->count, m->writes, &rows);
        if (want == DBM__MONGO_WANT_ROWS) *(dbm_rows **)out = rows;
        else if (st == DBM_OK) dbm_rows_end(rows);
        return st;
    }
    st = dbm__command_one(m->on, m->site, m->values, m->count, m->writes, &row);
    if (st == DBM_OK && row == NULL) return dbm__on_fail(m->on, DBM_E_NOT_FOUND, m->site, "no document matched");
    if (st == DBM_OK && want == DBM__MONGO_WANT_COUNT) {
        *(int64_t *)out = dbm_row_int(row, 0);
        dbm_row_end(row);
    } else if (st == DBM_OK) {
        *(dbm_row **)out = row;
    }
    return st;
}

static dbm_status dbm__mongo_given(dbm_session *on, const char *site, int call, int want, void *out, const char *coll, const char *filter, const char *json,
                                   dbm__given given) {
    dbm__mongo_call m;
    dbm_value *values;
    int documents, count = given.count, i;
    bool named;
    dbm_status st = dbm__mongo_clear(on, site, call, want, out);
    if (st == DBM_OK) st = dbm__mongo_begin(&m, on, site, call, coll, filter, json, &documents);
    if (st != DBM_OK) return st;
    values = m.values + DBM__MONGO_HEAD + documents;
    if (given.codes != NULL) {
        char text[400];
        st = dbm__values_read(values, &count, &named, given.codes, *given.ap);
        dbm__copy_cut(text, sizeof text, st != DBM_OK ? dbm__self()->last.message : "");
        if (st != DBM_OK) return dbm__on_fail(on, st, site, "%s", text);
    } else if (count < 0 || count > DBM__MAX_VALUES || (count > 0 && given.values == NULL)) {
        return dbm__on_fail(on, DBM_E_LIMIT, site, "%d values: a call takes 0 to %d", count, (int)DBM__MAX_VALUES);
    } else {
        for (i = 0; i < count; i++) { /* one by one: a list may mix those with a mark and those without */
            values[i] = given.values[i];
            st = dbm__values_check(&values[i], 1, NULL, site);
            if (st != DBM_OK) return dbm__on_fail(on, st, site, "value %d is no value: a pointer that is not a text, or a text without data", i + 1);
        }
    }
    st = dbm__mongo_finish(&m, documents, count);
    return st == DBM_OK ? dbm__mongo_run(&m, want, out) : st;
}

/* ---- behind the macros ---------------------------------------------------------------------------------------------------------- */

/* A list of values, as an argument of the calls below. */
#define DBM__MONGO_LIST(st, call, want, out, filter) do { \
        va_list ap; \
        va_start(ap, codes); \
        st = dbm__mongo_given(on, site, call, want, out, coll, filter, json, dbm__given_list(codes, &ap)); \
        va_end(ap); \
    } while (0)

DBM__DEF dbm_status dbm__mongo(dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json, const char *codes, ...) {
    dbm_status st;
    DBM__MONGO_LIST(st, call, DBM__MONGO_WANT_NOTHING, NULL, filter);
    return st;
}

DBM__DEF dbm_status dbm__mongo_rows(dbm_session *on, dbm_rows **rows, const char *site, int call, const char *coll, const char *json, const char *codes, ...) {
    dbm_status st;
    DBM__MONGO_LIST(st, call, DBM__MONGO_WANT_ROWS, rows, NULL);
    return st;
}

DBM__DEF dbm_status dbm__mongo_row(dbm_session *on, dbm_row **row, const char *site, int call, const char *coll, const char *json, const char *codes, ...) {
    dbm_status st;
    DBM__MONGO_LIST(st, call, DBM__MONGO_WANT_ROW, row, NULL);
    return st;
}

DBM__DEF dbm_status dbm__mongo_count(dbm_session *on, int64_t *n, const char *site, const char *coll, const char *json, const char *codes, ...) {
    dbm_status st;
    DBM__MONGO_LIST(st, DBM__MONGO_COUNT, DBM__MONGO_WANT_COUNT, n, NULL);
    return st;
}

DBM__DEF dbm__cursor dbm__mongo_each(dbm_session *on, const char *site, const char *coll, const char *json, const char *codes, ...) {
    dbm_rows *rows = NULL;
    dbm_status st;
    DBM__MONGO_LIST(st, DBM__MONGO_FIND, DBM__MONGO_WANT_ROWS, &rows, NULL);
    (void)st; /* it sticks */
    return dbm__cursor_of(rows);
}

DBM__DEF dbm_status dbm__mongov(dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json,
                                const dbm_value *values, int count) {
    return dbm__mongo_given(on, site, call, DBM__MONGO_WANT_NOTHING, NULL, coll, filter, json, dbm__given_array(values, count));
}

DBM__DEF dbm_status dbm__mongo_rowsv(dbm_session *on, dbm_rows **rows, const char *site, int call, const char *coll, const char *json,
                                     const dbm_value *values, int count) {
    return dbm__mongo_given(on, site, call, DBM__MONGO_WANT_ROWS, rows, coll, NULL, json, dbm__given_array(values, count));
}

DBM__DEF dbm_status dbm__mongo_rowv(dbm_session *on, dbm_row **row, const char *site, int call, const char *coll, const char *json,
                                    const dbm_value *values, int count) {
    return dbm__mongo_given(on, site, call, DBM__MONGO_WANT_ROW, row, coll, NULL, json, dbm__given_array(values, count));
}

DBM__DEF dbm_status dbm__mongo_countv(dbm_session *on, int64_t *n, const char *site, const char *coll, const char *json, const dbm_value *values, int count) {
    return dbm__mongo_given(on, site, DBM__MONGO_COUNT, DBM__MONGO_WANT_COUNT, n, coll, NULL, json, dbm__given_array(values, count));
}

DBM__DEF dbm__cursor dbm__mongo_eachv(dbm_session *on, const char *site, const char *coll, const char *json, const dbm_value *values, int count) {
    dbm_rows *rows = NULL;
    (void)dbm__mongo_given(on, site, DBM__MONGO_FIND, DBM__MONGO_WANT_ROWS, &rows, coll, NULL, json, dbm__given_array(values, count));
    return dbm__cursor_of(rows);
}

DBM__DEF dbm_status dbm__mongo_many(dbm_session *on, const char *site, const char *coll, const char *const *texts, const struct _bson_t *const *documents,
                                    size_t n) {
    dbm__mongo_call m;
    dbm_value *values;
    dbm_rows *rows;
    dbm__host *host = dbm__on_host(on);
    size_t i;
    int none;
    dbm_status st = dbm__mongo_begin(&m, on, site, DBM__MONGO_INSERT_MANY, coll, NULL, "", &none);
    if (st != DBM_OK) return st;
    if (n > 0 && texts == NULL && documents == NULL) return dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_mongo_insert_many: the documents are NULL");
    if (n > 10000000) return dbm__on_fail(on, DBM_E_LIMIT, site, "dbm_mongo_insert_many: %z documents in one call; 10 million at the most", n);
    if (n == 0 || host == NULL) { /* nothing to do, or nobody to do it, which is said as it is everywhere */
        m.values[DBM__MONGO_DOCUMENTS] = dbm_int(0);
        m.count = DBM__MONGO_HEAD;
        return dbm__mongo_run(&m, DBM__MONGO_WANT_NOTHING, NULL);
    }
    values = (dbm_value *)dbm__alloc(host, (DBM__MONGO_HEAD + n) * sizeof *values);
    if (values == NULL) return dbm__on_fail(on, DBM_E_NOMEM, site, "out of memory");
    for (i = 0; i < DBM__MONGO_HEAD; i++) values[i] = m.values[i];
    values[DBM__MONGO_DOCUMENTS] = dbm_int((int64_t)n);
    for (i = 0; i < n && st == DBM_OK; i++) {
        dbm_value *v = &values[DBM__MONGO_HEAD + i];
        *v = texts != NULL ? dbm_text(texts[i]) : dbm_bson(documents[i]);
        if (v->type == DBM_TYPE_NULL) st = dbm__on_fail(on, DBM_E_MISUSE, site, "dbm_mongo_insert_many: document %z is NULL", i);
        if (v->type == DBM_TYPE_TEXT) v->as.text.size = strlen(texts[i]);
    }
    if (st == DBM_OK) st = dbm__command(on, site, values, DBM__MONGO_HEAD + (int)n, true, &rows);
    if (st == DBM_OK) dbm_rows_end(rows);
    dbm__free(host, values);
    return st;
}

/* ---- documents ------------------------------------------------------------------------------------------------------------------------ */

/* The field's column, or -1. Names of fields are told apart by case. */
static int dbm__doc_find(dbm_row *doc, const char *field) {
    int i, n = doc != NULL && field != NULL ? dbm_row_columns(doc) : 0;
    for (i = 0; i < n; i++) if (strcmp(dbm_row_name(doc, i), field) == 0) return i;
    return -1;
}

static int dbm__doc_index(dbm_row *doc, const char *field) {
    int i = dbm__doc_find(doc, field);
    if (doc == NULL) dbm__fail_null("a field is asked for, and the document is NULL; dbm_mongo_find and its fellows give one", NULL);
    else if (i < 0) dbm__row_fail(doc, DBM_E_UNKNOWN_NAME, -1, "the document has no field %q; ask dbm_doc_has first", field != NULL ? field : "(NULL)");
    return i;
}

DBM__DEF bool dbm_doc_has(dbm_row *doc, const char *field) { return dbm__doc_find(doc, field) >= 0; }

#define DBM__DOC_GETTER(type, what, otherwise) \
    DBM__DEF type dbm_doc_##what(dbm_row *doc, const char *field) { \
        int i = dbm__doc_index(doc, field); \
        return i >= 0 ? dbm_row_##what(doc, i) : otherwise; \
    }
DBM__DOC_GETTER(int64_t, int, 0)
DBM__DOC_GETTER(double, double, 0.0)
DBM__DOC_GETTER(bool, bool, false)
DBM__DOC_GETTER(int64_t, timestamp, 0)

DBM__DEF const char *dbm_doc_text(dbm_row *doc, const char *field) {
    int i = dbm__doc_find(doc, field);
    return i >= 0 ? dbm_row_text(doc, i) : "";
}

DBM__DEF dbm_value dbm_doc_value(dbm_row *doc, const char *field) {
    int i = dbm__doc_find(doc, field);
    return i >= 0 ? dbm_row_value(doc, i) : dbm_null();
}

DBM__DEF const char *dbm_doc_json(dbm_row *doc) {
    dbm_value v;
    return dbm__row_whole(doc, DBM_COLUMN_DOCUMENT, &v) == DBM_OK ? v.as.text.data : "";
}

DBM__DEF const struct _bson_t *dbm_doc_bson(dbm_row *doc) {
    dbm_value v;
    return dbm__row_whole(doc, DBM_COLUMN_NATIVE, &v) == DBM_OK ? (const struct _bson_t *)(const void *)v.as.text.data : NULL;
}
