/* MongoDB: documents as JSON text or bson_t, inserted, found, changed, counted, aggregated; a document is a row.
 * May call: session.h.
 * Must not know: how anything is done. Of the driver only the tag of one struct. */

/* >>mongo
 * Each takes a session or a database first, as dbm_exec() does, and works on the collection `coll` of the database that the URL names.
 * Sessions have no transaction unless .transaction = 1 was asked for; each call then stands alone. Documents, filters, updates, keys and
 * pipelines are JSON text (MongoDB's extended JSON, relaxed or canonical). A bare `?` in it, in the place of a value, stands for the next of
 * the call's values, which goes into the document by its type and is never read as JSON: write {"name": ?}, and never build JSON by printf.
 *   int, long...    int32 where it fits, else int64     dbm_timestamp(us)   date, in whole milliseconds (finer parts are cut off)
 *   double, bool    the same                            dbm_decimal("1.10") Decimal128
 *   text            string, must be UTF-8               dbm_uuid(text)      binary of subtype 4
 *   dbm_blob(p, n)  binary                              dbm_oid(hex)        ObjectId
 *   NULL            null                                dbm_json(text)      a document or an array, read as JSON
 *   dbm_bson(b)     a document; as in dbm_mongo_insert(s, "users", "?", dbm_bson(b)), all of it
 * An option of the operation goes anywhere among the values as dbm_mongo_options("{\"sort\": {\"age\": 1}, \"limit\": 10}"), by MongoDB's names;
 * a `?` in it takes what the texts before it have left.
 *
 *   dbm_mongo_insert(s, coll, document, ...)              one document, which gets an ObjectId as its _id if it has none
 *   dbm_mongo_insert_row(s, &row, coll, document, ...)    the same; the row's one column is the _id
 *   dbm_mongo_insert_many(s, coll, texts, n)              n documents, `const char *const *`, in order; stops at the first that fails
 *   dbm_mongo_insert_many_bson(s, coll, documents, n)     the same from a `const bson_t *const *`
 *   dbm_mongo_find(s, &rows, coll, filter, ...)           documents, read by dbm_rows_next(); dbm_rows_end() when done
 *   dbm_mongo_find_one(s, &row, coll, filter, ...)        the first one, or E_NOT_FOUND; it lives until the session's next statement
 *   DBM_EACH_DOC(s, doc, coll, filter, ...) { }           a loop over the documents; a text that begins with [ is a pipeline
 *   dbm_mongo_update(s, coll, filter, update, ...)        the first that matches; the filter's `?` come first, then those of the update
 *   dbm_mongo_update_many(s, coll, filter, update, ...)   all that match
 *   dbm_mongo_replace(s, coll, filter, document, ...)     the first that matches, whole
 *   dbm_mongo_delete(s, coll, filter, ...)                the first that matches
 *   dbm_mongo_delete_many(s, coll, filter, ...)           all that match
 *   dbm_mongo_count(s, &n, coll, filter, ...)             how many match, into an int64_t
 *   dbm_mongo_aggregate(s, &rows, coll, pipeline, ...)    the documents that a pipeline gives
 *   dbm_mongo_create_index(s, coll, keys, ...)            {"name": 1}; options such as {"unique": true, "name": "by_name"}
 *   dbm_mongo_drop(s, coll)                               the collection; one that does not exist is no failure
 *   dbm_mongo_command(s, &rows, command, ...)             any command of the server; its answer, or the documents of its cursor, as rows
 *   dbm_mongo_run(s, command, ...)                        the same without rows
 * dbm_affected(s) is then the number of documents inserted, matched (upserted ones too) or deleted.
 * Ownership rows as those of dbm_query(): dbm_rows_end() gives them back, and a session's end does. Texts and documents passed in are read
 *           before the call returns.
 * Errors    E_CONSTRAINT (a duplicate key: UNIQUE, PRIMARY_KEY for _id, with the index's name; a validator: CHECK), E_SERIALIZATION (a write
 *           conflict or a transient error of a transaction: DBM_RETRY runs it again), E_TIMEOUT, E_CONNECT, E_AUTH, E_LOST, E_READ_ONLY,
 *           E_IN_DOUBT (the connection died under a write), E_SQL (all else that the server refuses), E_RANGE (a value that BSON can't hold),
 *           E_MISUSE (JSON that is none, with its place; as many `?` as values), E_LIMIT, E_UNSUPPORTED (another backend). They stick, but
 *           E_NOT_FOUND.
 * Threads   as dbm_exec().
 * Source    libmongoc's mongoc_collection_...(); its retryable reads and writes are on, as the URL says. */
struct _bson_t; /* libbson's bson_t */

/* What a call of this part does; behind the macros. */
enum {
    DBM__MONGO_INSERT = 1, DBM__MONGO_INSERT_MANY, DBM__MONGO_FIND, DBM__MONGO_FIND_ONE, DBM__MONGO_UPDATE, DBM__MONGO_UPDATE_MANY, DBM__MONGO_REPLACE,
    DBM__MONGO_DELETE, DBM__MONGO_DELETE_MANY, DBM__MONGO_COUNT, DBM__MONGO_AGGREGATE, DBM__MONGO_CREATE_INDEX, DBM__MONGO_DROP, DBM__MONGO_COMMAND
};

#ifdef __cplusplus
extern "C" {
#endif

DBM_API dbm_status dbm__mongo(dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json, const char *codes, ...);
DBM_API dbm_status dbm__mongov(dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json,
                               const dbm_value *values, int count);
DBM_API dbm_status dbm__mongo_rows(dbm_session *on, dbm_rows **rows, const char *site, int call, const char *coll, const char *json, const char *codes, ...);
DBM_API dbm_status dbm__mongo_rowsv(dbm_session *on, dbm_rows **rows, const char *site, int call, const char *coll, const char *json,
                                    const dbm_value *values, int count);
DBM_API dbm_status dbm__mongo_row(dbm_session *on, dbm_row **row, const char *site, int call, const char *coll, const char *json, const char *codes, ...);
DBM_API dbm_status dbm__mongo_rowv(dbm_session *on, dbm_row **row, const char *site, int call, const char *coll, const char *json,
                                   const dbm_value *values, int count);
DBM_API dbm_status dbm__mongo_count(dbm_session *on, int64_t *n, const char *site, const char *coll, const char *json, const char *codes, ...);
DBM_API dbm_status dbm__mongo_countv(dbm_session *on, int64_t *n, const char *site, const char *coll, const char *json, const dbm_value *values, int count);
DBM_API dbm__cursor dbm__mongo_each(dbm_session *on, const char *site, const char *coll, const char *json, const char *codes, ...);
DBM_API dbm__cursor dbm__mongo_eachv(dbm_session *on, const char *site, const char *coll, const char *json, const dbm_value *values, int count);
DBM_API dbm_status dbm__mongo_many(dbm_session *on, const char *site, const char *coll, const char *const *texts, const struct _bson_t *const *documents,
                                   size_t n);

/* >>documents
 * A document is a row: its fields are the columns, in its order, and dbm_row_...() and dbm_scan() read them by number. By name, letter for
 * letter, of the document's own fields (not of documents inside it, which are JSON):
 *   dbm_doc_has(doc, "age")         whether the field is there
 *   dbm_doc_int, dbm_doc_double, dbm_doc_bool, dbm_doc_timestamp, dbm_doc_text(doc, "age")   as dbm_row_int() and its fellows. A field that is not there
 *                                   is E_UNKNOWN_NAME, which sticks; for text it is ""
 *   dbm_doc_value(doc, "age")       with its type; NULL when it is not there
 *   dbm_doc_json(doc)               all of it as relaxed extended JSON; "" and a failure that sticks when no document is in hand
 *   dbm_doc_bson(doc)               all of it: const bson_t *b = dbm_doc_bson(doc); NULL with a failure
 * Types: int32 and int64 INT, double, bool, string TEXT, binary BLOB (subtype 4: UUID), date TIMESTAMP, ObjectId TEXT of 24 hex digits,
 * Decimal128 DECIMAL, null and undefined NULL, documents, arrays and all else JSON.
 * Ownership the document's and its texts: valid until the next document, or the end of the rows. */
DBM_API bool dbm_doc_has(dbm_row *doc, const char *field);
DBM_API int64_t dbm_doc_int(dbm_row *doc, const char *field);
DBM_API double dbm_doc_double(dbm_row *doc, const char *field);
DBM_API bool dbm_doc_bool(dbm_row *doc, const char *field);
DBM_API int64_t dbm_doc_timestamp(dbm_row *doc, const char *field);
DBM_API const char *dbm_doc_text(dbm_row *doc, const char *field);
DBM_API dbm_value dbm_doc_value(dbm_row *doc, const char *field);
DBM_API const char *dbm_doc_json(dbm_row *doc);
DBM_API const struct _bson_t *dbm_doc_bson(dbm_row *doc);

#ifdef __cplusplus
}
#endif

/* Values that only MongoDB knows; they must live until the call that takes them returns. Elsewhere they are E_MISUSE: names without placeholders. */
static inline dbm_value dbm__mark(const char *name, dbm_value v) {
    if (v.type != DBM_TYPE_NULL) v.name = name;
    return v;
}
static inline dbm_value dbm_bson(const struct _bson_t *document) { return dbm__mark("(bson)", dbm_blob(document, 0)); }
static inline dbm_value dbm_oid(const char *hex) { return dbm__mark("(oid)", dbm_text(hex)); }
static inline dbm_value dbm_mongo_options(const char *json) { return dbm__mark("(options)", dbm_json(json)); }

#if defined(__cplusplus)
template <class... V> inline dbm_status dbm__mongo_cpp(dbm_session *on, const char *site, int call, const char *coll, const char *filter, const char *json,
                                                       const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__mongov(on, site, call, coll, filter, json, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__mongo_rows_cpp(dbm_session *on, dbm_rows **rows, const char *site, int call, const char *coll, const char *json,
                                                            const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__mongo_rowsv(on, rows, site, call, coll, json, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__mongo_row_cpp(dbm_session *on, dbm_row **row, const char *site, int call, const char *coll, const char *json,
                                                           const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__mongo_rowv(on, row, site, call, coll, json, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__mongo_count_cpp(dbm_session *on, int64_t *n, const char *site, const char *coll, const char *json, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__mongo_countv(on, n, site, coll, json, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm__cursor dbm__mongo_each_cpp(dbm_session *on, const char *site, const char *coll, const char *json, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__mongo_eachv(on, site, coll, json, a, static_cast<int>(sizeof...(V)));
}
#endif

#define dbm_mongo_insert(on, coll, ...) DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_INSERT, coll, NULL, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_insert_row(on, row, coll, ...) DBM__CALL(dbm__mongo_row)(DBM__ON(on), row, DBM__SITE, DBM__MONGO_INSERT, coll, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_insert_many(on, coll, texts, n) dbm__mongo_many(DBM__ON(on), DBM__SITE, coll, texts, NULL, n)
#define dbm_mongo_insert_many_bson(on, coll, documents, n) dbm__mongo_many(DBM__ON(on), DBM__SITE, coll, NULL, documents, n)
#define dbm_mongo_find(on, rows, coll, ...) DBM__CALL(dbm__mongo_rows)(DBM__ON(on), rows, DBM__SITE, DBM__MONGO_FIND, coll, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_find_one(on, row, coll, ...) DBM__CALL(dbm__mongo_row)(DBM__ON(on), row, DBM__SITE, DBM__MONGO_FIND_ONE, coll, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_update(on, coll, filter, ...) DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_UPDATE, coll, filter, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_update_many(on, coll, filter, ...) \
    DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_UPDATE_MANY, coll, filter, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_replace(on, coll, filter, ...) DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_REPLACE, coll, filter, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_delete(on, coll, ...) DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_DELETE, coll, NULL, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_delete_many(on, coll, ...) DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_DELETE_MANY, coll, NULL, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_count(on, n, coll, ...) DBM__CALL(dbm__mongo_count)(DBM__ON(on), n, DBM__SITE, coll, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_aggregate(on, rows, coll, ...) DBM__CALL(dbm__mongo_rows)(DBM__ON(on), rows, DBM__SITE, DBM__MONGO_AGGREGATE, coll, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_create_index(on, coll, ...) DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_CREATE_INDEX, coll, NULL, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_drop(on, coll) dbm__mongov(DBM__ON(on), DBM__SITE, DBM__MONGO_DROP, coll, NULL, NULL, NULL, 0)
#define dbm_mongo_command(on, rows, ...) DBM__CALL(dbm__mongo_rows)(DBM__ON(on), rows, DBM__SITE, DBM__MONGO_COMMAND, NULL, DBM__VALUES(__VA_ARGS__))
#define dbm_mongo_run(on, ...) DBM__CALL(dbm__mongo)(DBM__ON(on), DBM__SITE, DBM__MONGO_COMMAND, NULL, NULL, DBM__VALUES(__VA_ARGS__))
#define DBM_EACH_DOC(on, doc, coll, ...) \
    DBM__ROWS(dbm__r_##doc, doc, DBM__CALL(dbm__mongo_each)(DBM__ON(on), DBM__SITE, coll, DBM__VALUES(__VA_ARGS__)))
