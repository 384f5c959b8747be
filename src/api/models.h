/* Models: a C struct and a table, matched by name.
 * May call: types.h, session.h, map.h.
 * Must not know: how SQL is sent. */

/* >>models
 * DBM_MODEL(user, "users", DBM_KEY(id), DBM_FIELD(name, DBM_NOT_NULL | DBM_UNIQUE), DBM_FIELD(age), DBM_FIELD(admin));
 * describes `struct`/typedef `user` as `user_model`, at file scope or in a function. Up to 64 fields, types inferred: integers of all
 * widths, float, double, bool, char *, const char *, char[N], dbm_bytes (a blob), dbm_optional_int, _double, _bool. */
enum {
    DBM_PRIMARY_KEY = 1, /* DBM_KEY() sets it; an integer key that is 0 at insert is generated */
    DBM_NOT_NULL = 2,    /* plain numbers and bools are NOT NULL by themselves */
    DBM_UNIQUE = 4
};
typedef struct dbm_field { const char *name; int kind; size_t offset, size; unsigned flags; } dbm_field;
typedef struct dbm_model { const char *name, *table; size_t size; const dbm_field *fields; size_t field_count; } dbm_model;

#define DBM_KEY(...) (DBM__X(DBM__FIRST(__VA_ARGS__, 0)), DBM__X(DBM__CAT(DBM__FLAGS_, DBM__ALONE(__VA_ARGS__))(__VA_ARGS__)) | DBM_PRIMARY_KEY)
#define DBM_FIELD(...) (DBM__X(DBM__FIRST(__VA_ARGS__, 0)), DBM__X(DBM__CAT(DBM__FLAGS_, DBM__ALONE(__VA_ARGS__))(__VA_ARGS__)))
#define DBM__FLAGS_1(f) 0
#define DBM__FLAGS_0(f, flags) (flags)
#define DBM__MODEL_FIELD(T, pair) DBM__MODEL_FIELD2(T, DBM__UNPAIR pair)
#define DBM__UNPAIR(f, flags) f, flags
#define DBM__MODEL_FIELD2(...) DBM__X(DBM__MODEL_FIELD3(__VA_ARGS__))
#define DBM__MODEL_FIELD3(T, f, flags) { #f, DBM__TARGET_KIND(T, f), offsetof(T, f), sizeof(((T *)0)->f), (unsigned)(flags) }
#define DBM_MODEL(T, table, ...) \
    static const dbm_field T##_fields[] = { DBM__MAP1(DBM__MODEL_FIELD, T, __VA_ARGS__) }; \
    static const dbm_model T##_model DBM__UNUSED = { #T, table, sizeof(T), T##_fields, sizeof(T##_fields) / sizeof(T##_fields[0]) }

#ifdef __cplusplus
extern "C" {
#endif

/* Creates the tables of these models where they do not exist (CREATE TABLE IF NOT EXISTS). A table that exists is never altered.
 * models    an array of `count` pointers: const dbm_model *const models[] = { &user_model, &order_model };
 * Errors    E_UNKNOWN_NAME when an existing table lacks a column: it names table and column; E_MISUSE for a model that can't be a table. */
DBM_API dbm_status dbm__create_all(dbm_session *on, const char *site, const dbm_model *const *models, size_t count);
#define dbm_create_all(on, models, count) dbm__create_all(DBM__ON(on), DBM__SITE, models, count)

/* Writes one struct as a row. An integer key that is 0 is generated and stored into the struct.
 * Errors    E_CONSTRAINT, E_RANGE (a char[N] without NUL, a number over INT64_MAX) and those of dbm_exec(). */
DBM_API dbm_status dbm__insert_struct(dbm_session *on, const char *site, const dbm_model *model, void *record, size_t size);
#define dbm_insert_struct(on, model, record) dbm__insert_struct(DBM__ON(on), DBM__SITE, model, record, sizeof *(record))

/* Writes an array of structs as one bulk: all of them, or none; dbm_affected(s) is then their number. The keys are either all 0, then the backend generates
 * them (the structs stay as they are), or none is.
 * Errors    as dbm_insert_struct(), naming the struct by its number from 0; E_MISUSE (some keys are 0), E_UNSUPPORTED (no SQL). */
DBM_API dbm_status dbm__insert_structs(dbm_session *on, const char *site, const dbm_model *model, const void *records, size_t count, size_t size);
#define dbm_insert_structs(on, model, records, count) dbm__insert_structs(DBM__ON(on), DBM__SITE, model, records, count, sizeof *(records))

/* Writes all fields but the key to the row with the struct's key. Errors: E_NOT_FOUND when there is none. */
DBM_API dbm_status dbm__update_struct(dbm_session *on, const char *site, const dbm_model *model, const void *record, size_t size);
#define dbm_update_struct(on, model, record) dbm__update_struct(DBM__ON(on), DBM__SITE, model, record, sizeof *(record))

/* Deletes the row with the struct's key. Errors: E_NOT_FOUND when there is none. */
DBM_API dbm_status dbm__delete_struct(dbm_session *on, const char *site, const dbm_model *model, const void *record, size_t size);
#define dbm_delete_struct(on, model, record) dbm__delete_struct(DBM__ON(on), DBM__SITE, model, record, sizeof *(record))

/* dbm_find(s, &user_model, &u, 7): the row with this key. The texts in the struct live until the session's next statement.
 * Errors    E_NOT_FOUND (does not stick), E_UNKNOWN_NAME (the table lacks a column), E_RANGE (NULL into a plain number). */
DBM_API dbm_status dbm__findv(dbm_session *on, const char *site, const dbm_model *model, void *record, size_t size, const dbm_value *key, int count);
/* dbm_query_all(s, &user_model, &users, &n, "WHERE age > ? ORDER BY id", 18): all rows that match, as one block with the texts inside it; one
 * dbm_free(users) gives it back. The text continues "SELECT columns FROM table "; "" is all rows. *out is NULL when n is 0. */
DBM_API dbm_status dbm__query_allv(dbm_session *on, const char *site, const dbm_model *model, void *out, size_t size, size_t *n, const char *tail,
                                   const dbm_value *values, int count);
/* Fills a struct from the row in hand, column by name; columns that the struct lacks are ignored. Texts live until the next row.
 * Errors    E_UNKNOWN_NAME (the row lacks a field), E_RANGE. They stick; every field is written all the same. */
DBM_API dbm_status dbm__scan_struct(dbm_row *row, const dbm_model *model, void *record, size_t size);
#define dbm_scan_struct(row, model, record) dbm__scan_struct(row, model, record, sizeof *(record))
/* Gives back what dbm_query_all() returned. NULL is allowed. */
DBM_API void dbm_free(void *block);

DBM_API dbm_status dbm__find(dbm_session *on, const dbm_model *model, void *record, size_t size, const char *site, const char *codes, ...);
DBM_API dbm_status dbm__query_all(dbm_session *on, const dbm_model *model, void *out, size_t size, size_t *n, const char *site, const char *tail,
                                  const char *codes, ...);
#ifdef __cplusplus
}
template <class V> inline dbm_status dbm__find_cpp(dbm_session *on, const dbm_model *model, void *record, size_t size, const char *site, const V &key) {
    const dbm_value k = key;
    return dbm__findv(on, site, model, record, size, &k, 1);
}
template <class... V> inline dbm_status dbm__query_all_cpp(dbm_session *on, const dbm_model *model, void *out, size_t size, size_t *n,
                                                           const char *site, const char *tail, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__query_allv(on, site, model, out, size, n, tail, a, static_cast<int>(sizeof...(V)));
}
#endif
#define dbm_find(on, model, record, key) \
    DBM__CALL(dbm__find)(DBM__ON(on), model, record, sizeof *(record), DBM__VALUES(DBM__SITE, key))
#define dbm_query_all(on, model, out, n, ...) \
    DBM__CALL(dbm__query_all)(DBM__ON(on), model, out, sizeof **(out), n, DBM__SITE, DBM__VALUES(__VA_ARGS__))
