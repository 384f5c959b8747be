/* Rows in bulk: many rows for one table by the backend's fastest way in, one at a time or as arrays.
 * May call: session.h.
 * Must not know: how anything is done. */
/* What a bulk may ask for. Zero is the default. */
typedef struct dbm_bulk_options {
    bool each_row;            /* every row by itself: one that fails is skipped and told to `failed`, the others stay */
    /* Called for each skipped row, from within dbm_bulk_row, dbm_bulk_columns or dbm_bulk_end; must not use the session. In an asynchronous session it is
     * called while such a call is under way, on the loop's thread, or on a worker's where the session's calls run on workers or the rows go by the INSERT. */
    void (*failed)(void *ud, int64_t row, const dbm_error_info *error);
    void *failed_ud;
} dbm_bulk_options;

#ifdef __cplusplus
extern "C" {
#endif

/* >>bulk
 * Rows for one table: dbm_bulk_begin, any number of rows, dbm_bulk_end. COPY, array binding or a prepared INSERT carry them, whatever is the
 * fastest way into the backend; where there is none, one INSERT a row. A bulk is one thing: all of its rows are kept, or none.
 *   dbm_bulk_begin(s, &b, "table", "column,column")   on a session, or on a database, where dbm_bulk_end() commits; joins a block as statements do
 *   dbm_bulk_begin_opt(s, &b, "table", "a,b", .each_row = 1, .failed = fn)   any of dbm_bulk_options
 *   dbm_bulk_row(b, ...)                 one row: a value for each column, as dbm_exec() takes them
 *   dbm_bulk_rowv(b, values, n)          the same from an array
 *   dbm_bulk_columns(b, columns, n, rows)   many rows, from one array for each column:
 *       const dbm_column columns[] = { DBM_COLUMN(ids), DBM_COLUMN_NULLS(names, bits), DBM_COLUMN_AS(DBM_TYPE_TIMESTAMP, times) };
 *       DBM_COLUMN_FIELD(users, age) is one field of an array of structs; `rows` must be no more than the shortest array has
 *   dbm_bulk_end(b)                      sends the rest and waits for the outcome; dbm_affected(s) is then the number of rows that were kept
 *   dbm_bulk_abandon(b)                  drops it: nothing of it stays, and what the session did before it does
 * Names     letters, digits and _ (not first a digit), bytes from 0x80 on, or quoted as the backend quotes; parts are joined by dots. They are passed on
 *           as written, so the backend folds their case as usual. 64 columns at most.
 * Failures  of a row fail the whole bulk and stick, with the row's number from 0 where the backend tells it; what was sent is undone by then, so that
 *           dbm_clear_error() may go on where the session has a transaction. dbm_bulk_row() answers the failure from then on.
 *           Where there is no transaction (MongoDB without one), what was sent stays.
 * While it is open nothing else runs on its session: E_MISUSE. A bulk that a block leaves open by return or break is dropped as its other writes
 * are (E_LEFT_EARLY); at the end of a block it is E_MISUSE. In autocommit it has a transaction of its own.
 * Errors    as dbm_exec(); E_MISUSE (names; a number of values that is not that of the columns; a bulk that has ended), E_UNSUPPORTED.
 * Ownership texts and arrays are the caller's, and needed no longer than the call. On a database dbm_bulk_end() or dbm_bulk_abandon() must come,
 *           after a failure too: it gives the connection back.
 * Threads   those of its session.
 * Source    PostgreSQL's COPY, mysql_stmt_attr_set(STMT_ATTR_ARRAY_SIZE) of MariaDB, mongoc_bulk_operation_t. */
DBM_API dbm_status dbm__bulk_begin(dbm_session *on, dbm_bulk **out, const char *table, const char *columns, const dbm_bulk_options *options,
                                   const char *site);
DBM_API dbm_status dbm__bulk_row(const char *site, dbm_bulk *bulk, const char *codes, ...);
DBM_API dbm_status dbm__bulk_rowv(const char *site, dbm_bulk *bulk, const dbm_value *values, int count);
DBM_API dbm_status dbm_bulk_columns(dbm_bulk *bulk, const dbm_column *columns, int count, size_t rows);
DBM_API dbm_status dbm_bulk_end(dbm_bulk *bulk);
DBM_API dbm_status dbm_bulk_abandon(dbm_bulk *bulk);

#ifdef __cplusplus
}
#endif

#define dbm_bulk_begin(on, out, table, columns) dbm__bulk_begin(DBM__ON(on), out, table, columns, NULL, DBM__SITE)
#define dbm_bulk_begin_opt(on, out, table, columns, ...) \
    dbm__bulk_begin(DBM__ON(on), out, table, columns, DBM__OPTIONS(dbm_bulk_options, __VA_ARGS__), DBM__SITE)
#define dbm_bulk_row(...) DBM__CALL(dbm__bulk_row)(DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_bulk_rowv(...) dbm__bulk_rowv(DBM__SITE, __VA_ARGS__)

/* A column by hand, where there is neither _Generic nor C++: dbm_column_of(dbm_to_int64(ids), 0, DBM_TYPE_NULL, NULL). */
static inline dbm_column dbm_column_of(dbm_target first, size_t stride, dbm_type type, const unsigned char *nulls) {
    dbm_column c;
    c.data = first.to; c.kind = first.kind; c.size = first.size; c.stride = stride; c.type = type; c.nulls = nulls;
    return c;
}
#if defined(__cplusplus)
template <class... V> inline dbm_status dbm__bulk_row_cpp(const char *site, dbm_bulk *bulk, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__bulk_rowv(site, bulk, a, static_cast<int>(sizeof...(V)));
}
template <class T> inline dbm_target dbm__element(const T *p) { return dbm__to(const_cast<T *>(p)); }
#  define DBM__ELEMENT(p) dbm__element(p)
#elif DBM__HAS_GENERIC
/* Texts are known by the pointer to them, all else by the value, which is never const. */
#  define DBM__ELEMENT_KIND(p) DBM__GENERIC(p, const char **: DBM__TO_TEXT, char **: DBM__TO_TEXT, const char *const *: DBM__TO_TEXT, \
        char *const *: DBM__TO_TEXT, default: DBM__GENERIC(*(p), signed char: DBM__TO_INT, short: DBM__TO_INT, int: DBM__TO_INT, long: DBM__TO_INT, \
        long long: DBM__TO_INT, unsigned char: DBM__TO_UINT, unsigned short: DBM__TO_UINT, unsigned: DBM__TO_UINT, unsigned long: DBM__TO_UINT, \
        unsigned long long: DBM__TO_UINT, float: DBM__TO_REAL, double: DBM__TO_REAL, bool: DBM__TO_BOOL, dbm_bytes: DBM__TO_BYTES, \
        dbm_value: DBM__TO_VALUE, dbm_optional_int: DBM__TO_OPTIONAL_INT, dbm_optional_double: DBM__TO_OPTIONAL_DOUBLE, \
        dbm_optional_bool: DBM__TO_OPTIONAL_BOOL, char *: DBM__TO_BUFFER, const char *: DBM__TO_BUFFER, default: 0))
#  define DBM__COLUMN_CHECKED(kind) (0 * sizeof(struct { int dbm_column_takes_arrays_of_numbers_bool_text_char_N_or_dbm_types : (kind) ? 1 : -1; }))
#  define DBM__ELEMENT(p) dbm__target(DBM__ELEMENT_KIND(p), sizeof(*(p)) + DBM__COLUMN_CHECKED(DBM__ELEMENT_KIND(p)), (void *)(uintptr_t)(const void *)(p))
#endif
#if defined(DBM__ELEMENT)
#  define DBM_COLUMN(array) dbm_column_of(DBM__ELEMENT(&(array)[0]), 0, DBM_TYPE_NULL, NULL)
#  define DBM_COLUMN_NULLS(array, bits) dbm_column_of(DBM__ELEMENT(&(array)[0]), 0, DBM_TYPE_NULL, bits)
#  define DBM_COLUMN_AS(type, array) dbm_column_of(DBM__ELEMENT(&(array)[0]), 0, type, NULL)
#  define DBM_COLUMN_FIELD(structs, field) dbm_column_of(DBM__ELEMENT(&(structs)[0].field), sizeof((structs)[0]), DBM_TYPE_NULL, NULL)
#endif
