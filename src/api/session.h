/* Sessions, statements, rows and values: the calls of every day, and the macros that carry the caller's place and types.
 * May call: types.h, map.h.
 * Must not know: how anything is done. */
#define DBM__SITE __FILE__ ":" DBM__STR(__LINE__)
#define DBM__ON_DATABASE 0xDBDBDBDBu  /* step of a session value that stands for a database */
#define DBM__STARTED 1u               /* step: the body has begun */

/* What a scan writes to. Made by dbm_scan() from a pointer's type; dbm_to_...() make it by hand where there is no _Generic. */
typedef enum dbm__target_kind {
    DBM__TO_SIGNED = -1,
    DBM__TO_INT = 1, DBM__TO_UINT, DBM__TO_REAL, DBM__TO_BOOL, DBM__TO_TEXT, DBM__TO_BUFFER, DBM__TO_BYTES, DBM__TO_VALUE,
    DBM__TO_OPTIONAL_INT, DBM__TO_OPTIONAL_DOUBLE, DBM__TO_OPTIONAL_BOOL
} dbm__target_kind;
typedef struct dbm_target { int kind; size_t size; void *to; } dbm_target;

/* Bytes, for blobs in models and scans. `data` is the row's, or the struct's. */
typedef struct dbm_bytes { const unsigned char *data; size_t size; } dbm_bytes;
/* Numbers that may be NULL, for models and scans. */
typedef struct dbm_optional_int { bool has; int64_t value; } dbm_optional_int;
typedef struct dbm_optional_double { bool has; double value; } dbm_optional_double;
typedef struct dbm_optional_bool { bool has; bool value; } dbm_optional_bool;

/* In the caller's frame, behind the block macros. */
typedef struct dbm__cursor { dbm_row *dbm__row; int dbm__started; } dbm__cursor; /* names that no macro argument has */
typedef struct dbm__savepoint { dbm_session *session; dbm_status *status; uint32_t number; int state; } dbm__savepoint;
typedef struct dbm__failure { dbm_error_info info; int pending; } dbm__failure;

#ifdef __cplusplus
extern "C" {
#endif

/* >>by-hand
 * A session by hand: dbm_session s; if (dbm_session_begin(db, &options, &s) == DBM_OK) { ...; dbm_commit(&s); } dbm_session_end(&s);
 * Takes a connection of `db`, waiting up to its pool_timeout, and begins a transaction with the first statement.
 * options   NULL: defaults.
 * Returns   DBM_OK and a session in *out; else a status and an empty session, on which every call answers that status.
 * Errors    E_POOL_TIMEOUT, E_WOULD_DEADLOCK, E_CONNECT, E_AUTH, E_TLS, E_TIMEOUT, E_CLOSED, E_UNSUPPORTED, E_NOMEM.
 * Ownership the caller ends it with dbm_session_end(), or uses DBM_SESSION, which can't forget.
 * Threads   any; the session then belongs to one thread at a time. It never joins, and is never joined by, a block.
 * Source    order of checkout and its deadline as in SQLAlchemy's QueuePool. */
#define dbm_session_begin(db, options, out) dbm__session_begin(db, options, out, DBM__SITE)
DBM_API dbm_status dbm__session_begin(dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site);

/* Ends a session by hand: what dbm_commit() has not committed is rolled back; the connection goes back. The value is emptied; a
 * second end does nothing.
 * Returns   DBM_OK when all was committed or nothing written, else the sticky failure, E_LEFT_EARLY when writes were dropped. */
DBM_API dbm_status dbm_session_end(dbm_session *s);

/* Commits now. Later statements begin a new transaction under the same rules.
 * Errors    the sticky failure (then it rolls back), E_ROLLED_BACK, E_IN_DOUBT, E_SERIALIZATION, E_CONSTRAINT (deferred), and
 *           E_MISUSE inside DBM_EACH or DBM_SAVEPOINT. In a block that joined an outer one: kept if the outer commits. */
DBM_API dbm_status dbm_commit(dbm_session *s);
/* Rolls back now, and lifts the sticky failure. Later statements begin a new transaction. Errors as dbm_commit(). */
DBM_API dbm_status dbm_rollback(dbm_session *s);
/* Makes the session's running statement, and its later ones, fail with E_CANCELLED; a COMMIT is never interrupted. A block that joined an outer
 * one is part of its transaction: cancelling either cancels both.
 * Threads   any, through a copy of the session's value, while the manager lives. A session that has ended is left alone: E_MISUSE, and
 *           counted.
 * Source    sqlite3_interrupt(), PQcancel(). */
DBM_API dbm_status dbm_cancel(dbm_session *s);
/* Lifts a sticky failure whose effects a rolled-back savepoint has undone, or of a session without a transaction.
 * Errors    E_MISUSE when the transaction still holds half of the work. */
DBM_API dbm_status dbm_clear_error(dbm_session *s);
/* The sticky status: DBM_OK, or the first failure of the current transaction. */
DBM_API dbm_status dbm_status_of(dbm_session *s);
/* Rows matched or changed by the last statement that writes; -1 when there was none. This and the next one wait for what dbm_send has sent. */
DBM_API int64_t dbm_affected(dbm_session *s);
/* The key that the last INSERT generated; 0 when none. Source: sqlite3_last_insert_rowid(). */
DBM_API int64_t dbm_last_id(dbm_session *s);
/* The driver's handle (type "sqlite": sqlite3 *), after what was sent has arrived and the transaction has begun. The session then counts
 * as having written, and its connection is fully reset when it comes back.
 * Returns   NULL and E_UNSUPPORTED when the session's database is of another type, NULL and the status when it failed. */
DBM_API void *dbm_native(dbm_session *s, const char *type);
/* Writes `name` to buf as a quoted identifier of the session's backend. Errors: E_RANGE (too small), E_MISUSE (empty). */
DBM_API dbm_status dbm_ident(dbm_session *s, char *buf, size_t n, const char *name);
/* The database of a session. */
DBM_API dbm_database *dbm_session_database(dbm_session *s);

/* Whether the last DBM_SESSION... that ended on this thread failed, its checkout included. Copies the failure to *out (may be
 * NULL) and clears it. */
DBM_API bool dbm_session_failed(dbm_error_info *out);

/* >>statements
 * Each takes a session or a database as first argument; on a database it is a session of one autocommit call, or joins the
 * block of that database which is open on this thread. Values are plain C arguments or dbm_...() values, at most 32; each is evaluated once.
 *   dbm_exec(s, sql, ...)               runs a statement; rows it may have are dropped
 *   dbm_send(s, sql, ...)               the same without waiting for the outcome: in a session it answers DBM_OK, and a failure, which is that
 *                                       statement's by text and place, sticks and shows at the next call that waits, at the end of the
 *                                       block, or here when an earlier one failed. What is behind it is not run, but in autocommit,
 *                                       where what is under way already is. On databases, and where the backend has no pipeline, it
 *                                       runs at once
 *   dbm_query(s, &rows, sql, ...)       rows, read by dbm_rows_next(); dbm_rows_end() when done
 *   dbm_query_one(s, &row, sql, ...)    the first row, or E_NOT_FOUND; it lives until the session's next statement
 *   dbm_execv(s, sql, values, n), dbm_queryv(s, &rows, sql, values, n)   values from an array
 *   DBM_EACH(s, row, sql, ...) { }      a loop over the rows
 *   dbm_script(s, sql)                  many statements, separated by semicolons; stops at the first failure and names its line
 * Errors    E_SQL, E_CONSTRAINT, E_SERIALIZATION, E_DEADLOCK, E_READ_ONLY, E_RANGE, E_MISUSE, E_TIMEOUT, E_CANCELLED, E_LOST, E_IN_DOUBT,
 *           E_LIMIT, E_NOMEM; on a database also those of dbm_session_begin(). All stick but DBM_DONE and E_NOT_FOUND. */
DBM_API dbm_status dbm__exec(dbm_session *on, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__send(dbm_session *on, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__query(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__query_one(dbm_session *on, dbm_row **row, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm__cursor dbm__each(dbm_session *on, const char *site, const char *sql, const char *codes, ...);
DBM_API dbm_status dbm__execv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__sendv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__queryv(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__query_onev(dbm_session *on, dbm_row **row, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm__cursor dbm__eachv(dbm_session *on, const char *site, const char *sql, const dbm_value *values, int count);
DBM_API dbm_status dbm__script(dbm_session *on, const char *site, const char *sql);

/* >>prepared
 * dbm_prepare(s, sql, &st): a handle on a statement of this session; saves the look-up by text. It ends with the session, or by
 * dbm_stmt_end(). A handle whose session has ended answers E_MISUSE.
 *   dbm_stmt_exec(st, ...), dbm_stmt_send(st, ...), dbm_stmt_query(st, &rows, ...), dbm_stmt_query_one(st, &row, ...),
 *   DBM_STMT_EACH(st, row, ...) { } */
#define dbm_prepare(s, sql, out) dbm__prepare(s, sql, out, DBM__SITE)
DBM_API dbm_status dbm__prepare(dbm_session *s, const char *sql, dbm_statement **out, const char *site);
DBM_API void dbm_stmt_end(dbm_statement *st);
DBM_API dbm_status dbm__stmt_exec(const char *site, dbm_statement *st, const char *codes, ...);
DBM_API dbm_status dbm__stmt_send(const char *site, dbm_statement *st, const char *codes, ...);
DBM_API dbm_status dbm__stmt_query(const char *site, dbm_statement *st, dbm_rows **rows, const char *codes, ...);
DBM_API dbm_status dbm__stmt_query_one(const char *site, dbm_statement *st, dbm_row **row, const char *codes, ...);
DBM_API dbm__cursor dbm__stmt_each(dbm_statement *st, const char *site, const char *codes, ...);
DBM_API dbm_status dbm__stmt_execv(const char *site, dbm_statement *st, const dbm_value *values, int count);
DBM_API dbm_status dbm__stmt_sendv(const char *site, dbm_statement *st, const dbm_value *values, int count);
DBM_API dbm_status dbm__stmt_queryv(const char *site, dbm_statement *st, dbm_rows **rows, const dbm_value *values, int count);
DBM_API dbm_status dbm__stmt_query_onev(const char *site, dbm_statement *st, dbm_row **row, const dbm_value *values, int count);
DBM_API dbm__cursor dbm__stmt_eachv(dbm_statement *st, const char *site, const dbm_value *values, int count);

/* >>rows
 * dbm_rows_next: the next row in *row, valid until the next one. Returns DBM_OK, DBM_DONE at the end, or the failure, which sticks.
 * dbm_rows_end: drops the rest; rows of a call on a database then give their connection back. NULL is allowed.
 * dbm_row_end: the same for the row of dbm_query_one() on a database; elsewhere it is not needed. */
DBM_API dbm_status dbm_rows_next(dbm_rows *rows, dbm_row **row);
DBM_API void dbm_rows_end(dbm_rows *rows);
DBM_API void dbm_row_end(dbm_row *row);
DBM_API int dbm_rows_columns(dbm_rows *rows);
DBM_API const char *dbm_rows_name(dbm_rows *rows, int i);

/* Columns of the row in hand, by number from 0. A failure (NULL into a plain number, a number that does not fit, no such column)
 * gives 0, 0.0, "" or false and sticks to the session, with the column's name; so does any conversion that would lose something.
 *   text   never NULL; UTF-8, NUL-terminated, valid until the next row; numbers are written out; NULL gives "" without a failure
 *   blob   the bytes of a text or blob, *size may be NULL; NULL gives NULL and 0
 *   timestamp   microseconds since 1970 UTC; also from "YYYY-MM-DD HH:MM:SS.ffffff" and ISO 8601 texts */
DBM_API int64_t dbm_row_int(dbm_row *row, int i);
DBM_API uint64_t dbm_row_uint(dbm_row *row, int i);
DBM_API double dbm_row_double(dbm_row *row, int i);
DBM_API const char *dbm_row_text(dbm_row *row, int i);
DBM_API const void *dbm_row_blob(dbm_row *row, int i, size_t *size);
DBM_API bool dbm_row_bool(dbm_row *row, int i);
DBM_API int64_t dbm_row_timestamp(dbm_row *row, int i);
DBM_API bool dbm_row_is_null(dbm_row *row, int i);
DBM_API dbm_value dbm_row_value(dbm_row *row, int i);
DBM_API int dbm_row_columns(dbm_row *row);
DBM_API const char *dbm_row_name(dbm_row *row, int i);
/* The number of the column of this name, or -1 and E_UNKNOWN_NAME that lists the names (sticks). Spelt so, or else without case, ASCII. */
DBM_API int dbm_row_index(dbm_row *row, const char *name);
/* dbm_scan(row, &a, &b, ...): column 0 to a, column 1 to b, ... by the types of the pointers: integers of all widths, float, double, bool,
 * const char *, char[N], dbm_bytes, dbm_value, dbm_optional_int and its fellows. Every target is written, also on failure (0, "").
 * Errors    E_RANGE (a number of targets that is not the number of columns; NULL into a plain number; a number or text that does not
 *           fit: named by column and row). They stick. */
DBM_API dbm_status dbm__scan(dbm_row *row, const dbm_target *targets, int count);

/* Behind the block macros. */
DBM_API dbm_session dbm__block_begin(dbm_manager *mgr, const char *name, const dbm_session_options *options, dbm_status *status, const char *site);
DBM_API dbm_session dbm__block_begin_on(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site);
DBM_API dbm_session dbm__auto_begin(dbm_manager *mgr, const char *name, dbm_status *status, const char *site);
DBM_API dbm_session dbm__retry_begin(dbm_manager *mgr, const char *name, const dbm_session_options *options, int attempts, const char *site);
DBM_API bool dbm__block_commit(dbm_session *s);
DBM_API bool dbm__retry_next(dbm_session *s);
DBM_API void dbm__block_end(dbm_session *s);
DBM_API void dbm__unwind(dbm_session *s);
DBM_API void dbm__unwind_row(dbm_row *row);
DBM_API dbm__savepoint dbm__savepoint_begin(dbm_session *s, dbm_status *status, const char *site);
DBM_API bool dbm__savepoint_release(dbm__savepoint *p);
DBM_API void dbm__savepoint_end(dbm__savepoint *p);
DBM_API bool dbm__row_step(dbm_row *row);
DBM_API void dbm__cursor_end(dbm__cursor *c);
DBM_API void dbm__take_failure(dbm__failure *f);

#ifdef __cplusplus
}
#endif

static inline bool dbm__block_fresh(const dbm_session *s) { return s->slot != NULL && !(s->step & DBM__STARTED); }
static inline void dbm__block_over(dbm_session *s) { if (s->slot != NULL) dbm__block_end(s); }
static inline bool dbm__block_step(dbm_session *s) {
    if (!(s->step & DBM__STARTED)) { s->step |= DBM__STARTED; return true; }
    return dbm__block_commit(s);
}
static inline bool dbm__retry_step(dbm_session *s) {
    if (!(s->step & DBM__STARTED)) { s->step |= DBM__STARTED; return true; }
    return dbm__retry_next(s);
}
static inline bool dbm__savepoint_step(dbm__savepoint *p) {
    if (p->state == 0) { p->state = 1; return true; }
    return dbm__savepoint_release(p);
}
static inline bool dbm__cursor_once(dbm__cursor *c) { return c->dbm__row != NULL && c->dbm__started++ == 0; }
static inline dbm__failure dbm__failure_begin(void) { dbm__failure f; dbm__take_failure(&f); return f; }
static inline bool dbm__failure_once(dbm__failure *f) { int p = f->pending; f->pending = 0; return p != 0; }
static inline dbm_session dbm__database_target(dbm_database *db) { dbm_session t; t.slot = db; t.gen = 0; t.step = DBM__ON_DATABASE; return t; }

/* >>making-values
 * Values with a type of their own. Texts and blobs are not copied: they must live until the call that takes them returns. */
static inline dbm_value dbm__value(dbm_type type, const char *data, size_t size) {
    dbm_value v;
    v.type = data != NULL ? type : DBM_TYPE_NULL; v.name = NULL; v.as.text.data = data; v.as.text.size = size;
    return v;
}
static inline dbm_value dbm__number(dbm_type type, int64_t x) {
    dbm_value v;
    v.type = type; v.name = NULL; v.as.text.data = NULL; v.as.text.size = 0; v.as.integer = x;
    return v;
}
static inline dbm_value dbm_null(void) { return dbm__number(DBM_TYPE_NULL, 0); }
static inline dbm_value dbm_int(int64_t x) { return dbm__number(DBM_TYPE_INT, x); }
static inline dbm_value dbm_bool(bool x) { return dbm__number(DBM_TYPE_BOOL, x ? 1 : 0); }
static inline dbm_value dbm_timestamp(int64_t microseconds) { return dbm__number(DBM_TYPE_TIMESTAMP, microseconds); }
/* A range error at the call where the backend has no such type and x is over INT64_MAX. */
static inline dbm_value dbm_uint(uint64_t x) { dbm_value v = dbm__number(DBM_TYPE_UINT, 0); v.as.uinteger = x; return v; }
static inline dbm_value dbm_double(double x) { dbm_value v = dbm__number(DBM_TYPE_DOUBLE, 0); v.as.real = x; return v; }
static inline dbm_value dbm_text(const char *x) { return dbm__value(DBM_TYPE_TEXT, x, SIZE_MAX); }  /* up to its NUL; NULL is SQL NULL */
static inline dbm_value dbm_textn(const char *x, size_t n) { return dbm__value(DBM_TYPE_TEXT, x != NULL || n != 0 ? x : NULL, n); }
static inline dbm_value dbm_blob(const void *x, size_t n) { return dbm__value(DBM_TYPE_BLOB, (const char *)x, n); }
static inline dbm_value dbm_decimal(const char *x) { return dbm__value(DBM_TYPE_DECIMAL, x, SIZE_MAX); }  /* "1.10", any number of digits */
static inline dbm_value dbm_uuid(const char *x) { return dbm__value(DBM_TYPE_UUID, x, SIZE_MAX); }
static inline dbm_value dbm_json(const char *x) { return dbm__value(DBM_TYPE_JSON, x, SIZE_MAX); }
/* A value for the placeholder `:name`: dbm_exec(s, "... WHERE id = :id", dbm_named("id", dbm_int(7))). All of a call's values are named, or none. */
static inline dbm_value dbm_named(const char *name, dbm_value v) { v.name = name; return v; }
static inline dbm_value dbm__invalid(void) { return dbm__number(DBM_TYPE_INVALID, 0); }

static inline dbm_target dbm__target(int kind, size_t size, void *to) { dbm_target t; t.kind = kind; t.size = size; t.to = to; return t; }
static inline dbm_target dbm_to_int32(int32_t *p) { return dbm__target(DBM__TO_INT, sizeof *p, p); }
static inline dbm_target dbm_to_int64(int64_t *p) { return dbm__target(DBM__TO_INT, sizeof *p, p); }
static inline dbm_target dbm_to_uint32(uint32_t *p) { return dbm__target(DBM__TO_UINT, sizeof *p, p); }
static inline dbm_target dbm_to_uint64(uint64_t *p) { return dbm__target(DBM__TO_UINT, sizeof *p, p); }
static inline dbm_target dbm_to_double(double *p) { return dbm__target(DBM__TO_REAL, sizeof *p, p); }
static inline dbm_target dbm_to_bool(bool *p) { return dbm__target(DBM__TO_BOOL, sizeof *p, p); }
static inline dbm_target dbm_to_text(const char **p) { return dbm__target(DBM__TO_TEXT, sizeof *p, (void *)p); }
static inline dbm_target dbm_to_buffer(char *p, size_t n) { return dbm__target(DBM__TO_BUFFER, n, p); }
static inline dbm_target dbm_to_value(dbm_value *p) { return dbm__target(DBM__TO_VALUE, sizeof *p, p); }

#if defined(__cplusplus)
/* ---- C++: overloads box the values, an object guards each block ------------------------------------------------------- */
struct dbm__on_holder { dbm_session target; operator dbm_session *() { return &target; } };
inline dbm_session *dbm__on(dbm_session *s) { return s; }
inline dbm__on_holder dbm__on(dbm_database *db) { dbm__on_holder h; h.target = dbm__database_target(db); return h; }
#  define DBM__ON(x) dbm__on(x)
#  define DBM_ON(db) dbm__on(static_cast<dbm_database *>(db))

inline dbm_value dbm__box(bool x) { return dbm_bool(x); }
inline dbm_value dbm__box(char x) { return dbm_int(x); }
inline dbm_value dbm__box(signed char x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned char x) { return dbm_int(x); }
inline dbm_value dbm__box(short x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned short x) { return dbm_int(x); }
inline dbm_value dbm__box(int x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned x) { return dbm_int(x); }
inline dbm_value dbm__box(long x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned long x) { return dbm_uint(x); }
inline dbm_value dbm__box(long long x) { return dbm_int(x); }
inline dbm_value dbm__box(unsigned long long x) { return dbm_uint(x); }
inline dbm_value dbm__box(float x) { return dbm_double(static_cast<double>(x)); }
inline dbm_value dbm__box(double x) { return dbm_double(x); }
inline dbm_value dbm__box(const char *x) { return dbm_text(x); }
inline dbm_value dbm__box(char *x) { return dbm_text(x); }
inline dbm_value dbm__box(decltype(nullptr)) { return dbm_null(); }
inline dbm_value dbm__box(const dbm_value &x) { return x; }
template <class T> dbm_value dbm__box(T *) = delete; /* any other pointer would convert to bool */
template <class T> inline auto dbm__box(const T &x) -> decltype(dbm_textn(x.data(), x.size())) {
    return x.data() != nullptr ? dbm_textn(x.data(), x.size()) : dbm_textn("", 0); /* std::string and std::string_view are never NULL */
}
/* NULL is __null there, an integer of its own kind: known by its spelling. */
template <size_t N> inline bool dbm__null_token(const char (&text)[N]) {
    return N == 7 && text[0] == '_' && text[N - 5] == 'n' && text[N - 2] == 'l';
}
inline bool dbm__null_token(const char (&)[1]) { return false; }
inline bool dbm__null_token(const char (&)[2]) { return false; }
inline bool dbm__null_token(const char (&)[3]) { return false; }
inline bool dbm__null_token(const char (&)[4]) { return false; }
#  define DBM__BOX(x) (dbm__null_token(DBM__STR2(x)) ? dbm_null() : dbm__box(static_cast<decltype((x))>(x)))
template <class... V> inline dbm_status dbm__exec_cpp(dbm_session *on, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__execv(on, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__send_cpp(dbm_session *on, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__sendv(on, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__query_cpp(dbm_session *on, dbm_rows **rows, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__queryv(on, rows, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__query_one_cpp(dbm_session *on, dbm_row **row, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__query_onev(on, row, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm__cursor dbm__each_cpp(dbm_session *on, const char *site, const char *sql, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__eachv(on, site, sql, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__stmt_exec_cpp(const char *site, dbm_statement *st, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_execv(site, st, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__stmt_send_cpp(const char *site, dbm_statement *st, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_sendv(site, st, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__stmt_query_cpp(const char *site, dbm_statement *st, dbm_rows **rows, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_queryv(site, st, rows, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm_status dbm__stmt_query_one_cpp(const char *site, dbm_statement *st, dbm_row **row, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_query_onev(site, st, row, a, static_cast<int>(sizeof...(V)));
}
template <class... V> inline dbm__cursor dbm__stmt_each_cpp(dbm_statement *st, const char *site, const V &...v) {
    const dbm_value a[] = { v..., dbm_null() };
    return dbm__stmt_eachv(st, site, a, static_cast<int>(sizeof...(V)));
}
#  define DBM__CALL(name) name##_cpp
#  define DBM__VALUES(...) DBM__BOXED(__VA_ARGS__)

template <class T> inline dbm_target dbm__to_number(T *p) {
    return dbm__target(static_cast<T>(-1) < static_cast<T>(1) ? DBM__TO_INT : DBM__TO_UINT, sizeof *p, p);
}
inline dbm_target dbm__to(signed char *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned char *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(short *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned short *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(int *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(long long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(unsigned long long *p) { return dbm__to_number(p); }
inline dbm_target dbm__to(float *p) { return dbm__target(DBM__TO_REAL, sizeof *p, p); }
inline dbm_target dbm__to(double *p) { return dbm__target(DBM__TO_REAL, sizeof *p, p); }
inline dbm_target dbm__to(bool *p) { return dbm__target(DBM__TO_BOOL, sizeof *p, p); }
inline dbm_target dbm__to(const char **p) { return dbm__target(DBM__TO_TEXT, sizeof *p, const_cast<char **>(p)); }
inline dbm_target dbm__to(char **p) { return dbm__target(DBM__TO_TEXT, sizeof *p, p); }
inline dbm_target dbm__to(dbm_bytes *p) { return dbm__target(DBM__TO_BYTES, sizeof *p, p); }
inline dbm_target dbm__to(dbm_value *p) { return dbm__target(DBM__TO_VALUE, sizeof *p, p); }
inline dbm_target dbm__to(dbm_optional_int *p) { return dbm__target(DBM__TO_OPTIONAL_INT, sizeof *p, p); }
inline dbm_target dbm__to(dbm_optional_double *p) { return dbm__target(DBM__TO_OPTIONAL_DOUBLE, sizeof *p, p); }
inline dbm_target dbm__to(dbm_optional_bool *p) { return dbm__target(DBM__TO_OPTIONAL_BOOL, sizeof *p, p); }
template <size_t N> inline dbm_target dbm__to(char (*p)[N]) { return dbm__target(DBM__TO_BUFFER, N, p); }
inline dbm_target dbm__to(const dbm_target &t) { return t; }
inline dbm_target dbm__to(char *) = delete; /* a buffer is scanned into by its address: &buf */
template <class... T> inline dbm_status dbm__scan_cpp(dbm_row *row, const T &...t) {
    const dbm_target a[] = { t..., dbm__target(0, 0, nullptr) };
    return dbm__scan(row, a, static_cast<int>(sizeof...(T)));
}
#  define dbm_scan(row, ...) dbm__scan_cpp(row, DBM__MAP(dbm__to, __VA_ARGS__))
#  define DBM__TARGET_KIND(T, f) (dbm__to(static_cast<decltype(T::f) *>(nullptr)).kind)

/* Options: the same designators as in C, as assignments to a fresh struct. */
template <class T> inline const T *dbm__address(const T &t) { return &t; }
#  define DBM__ASSIGN(x) dbm__o x
#  define DBM__OPTIONS(T, ...) dbm__address([&]() -> T { T dbm__o = T(); (void)(DBM__MAP(DBM__ASSIGN, __VA_ARGS__)); return dbm__o; }())
#else
/* ---- C: a text of type codes beside plain variadic arguments; blocks are loops ------------------------------------------ */
#  define DBM_ON(db) (&(dbm_session){ (void *)(db), 0, DBM__ON_DATABASE })
#  if DBM__HAS_GENERIC
#    define DBM__ON(x) DBM__GENERIC(x, dbm_session *: (x), dbm_database *: &(dbm_session){ (void *)(x), 0, DBM__ON_DATABASE })
#    if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L
#      define DBM__NULLPTR_CODE , typeof(nullptr): 'p'
#    else
#      define DBM__NULLPTR_CODE
#    endif
#    define DBM__CODE(x) DBM__GENERIC(x, bool: 'b', char: 'i', signed char: 'i', unsigned char: 'i', short: 'i', unsigned short: 'i', \
        int: 'i', unsigned: 'u', long: 'l', unsigned long: 'm', long long: 'q', unsigned long long: 'r', float: 'd', double: 'd', \
        char *: 's', const char *: 's', void *: 'p', const void *: 'p', dbm_value: 'v' DBM__NULLPTR_CODE)
#    define DBM__KIND(p) DBM__GENERIC(p, signed char *: DBM__TO_INT, short *: DBM__TO_INT, int *: DBM__TO_INT, long *: DBM__TO_INT, \
        long long *: DBM__TO_INT, unsigned char *: DBM__TO_UINT, unsigned short *: DBM__TO_UINT, unsigned *: DBM__TO_UINT, \
        unsigned long *: DBM__TO_UINT, unsigned long long *: DBM__TO_UINT, float *: DBM__TO_REAL, double *: DBM__TO_REAL, \
        bool *: DBM__TO_BOOL, const char **: DBM__TO_TEXT, char **: DBM__TO_TEXT, dbm_bytes *: DBM__TO_BYTES, \
        dbm_value *: DBM__TO_VALUE, dbm_optional_int *: DBM__TO_OPTIONAL_INT, dbm_optional_double *: DBM__TO_OPTIONAL_DOUBLE, \
        dbm_optional_bool *: DBM__TO_OPTIONAL_BOOL, default: DBM__GENERIC(*(p), char *: DBM__TO_BUFFER, default: 0))
/* Another type of pointer is an error whose text is this field's name. */
#    define DBM__TO_CHECKED(kind) (0 * sizeof(struct { int dbm_scan_takes_pointers_to_numbers_bool_text_char_N_or_dbm_types : (kind) ? 1 : -1; }))
#    define DBM__TO(p) { DBM__KIND(p), sizeof(*(p)) + DBM__TO_CHECKED(DBM__KIND(p)), (p) }
#    define dbm_scan(row, ...) dbm__scan(row, (const dbm_target[]){ DBM__MAP(DBM__TO, __VA_ARGS__) }, DBM__NARG(__VA_ARGS__))
#    define DBM__TARGET_KIND(T, f) (DBM__KIND(&((T *)0)->f) \
        + (int)(0 * sizeof(struct { int dbm_model_fields_are_numbers_bool_text_char_N_or_dbm_types : DBM__KIND(&((T *)0)->f) ? 1 : -1; })))
#  else /* constructors only: dbm_exec(s, sql, dbm_int(1)), dbm_scan(row, dbm_to_int64(&n)), DBM_ON(db) */
#    define DBM__ON(x) (x)
#    define DBM__CODE(x) 'v'
#    define DBM__SAME(x) x
#    define dbm_scan(row, ...) dbm__scan(row, (const dbm_target[]){ DBM__MAP(DBM__SAME, __VA_ARGS__) }, DBM__NARG(__VA_ARGS__))
#  endif
#  define DBM__CALL(name) name
#  define DBM__VALUES(...) DBM__TYPED(__VA_ARGS__)
#  define DBM__OPTIONS(T, ...) (&(const T){ __VA_ARGS__ })
#endif

#define dbm_exec(on, ...) DBM__CALL(dbm__exec)(DBM__ON(on), DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_send(on, ...) DBM__CALL(dbm__send)(DBM__ON(on), DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_query(on, rows, ...) DBM__CALL(dbm__query)(DBM__ON(on), rows, DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_query_one(on, row, ...) DBM__CALL(dbm__query_one)(DBM__ON(on), row, DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_execv(on, sql, values, count) dbm__execv(DBM__ON(on), DBM__SITE, sql, values, count)
#define dbm_sendv(on, sql, values, count) dbm__sendv(DBM__ON(on), DBM__SITE, sql, values, count)
#define dbm_queryv(on, rows, sql, values, count) dbm__queryv(DBM__ON(on), rows, DBM__SITE, sql, values, count)
#define dbm_query_onev(on, row, sql, values, count) dbm__query_onev(DBM__ON(on), row, DBM__SITE, sql, values, count)
#define dbm_script(on, sql) dbm__script(DBM__ON(on), DBM__SITE, sql)
#define dbm_stmt_exec(...) DBM__CALL(dbm__stmt_exec)(DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_stmt_send(...) DBM__CALL(dbm__stmt_send)(DBM__SITE, DBM__VALUES(__VA_ARGS__))
#define dbm_stmt_query(st, ...) DBM__CALL(dbm__stmt_query)(DBM__SITE, st, DBM__VALUES(__VA_ARGS__))
#define dbm_stmt_query_one(st, ...) DBM__CALL(dbm__stmt_query_one)(DBM__SITE, st, DBM__VALUES(__VA_ARGS__))

/* ---- blocks ---------------------------------------------------------------------------------------------------------------
 * Two nested loops: the outer one owns and gives back, the inner one names what the body uses, so that `begin` is evaluated before
 * the user's name is in scope. `continue` ends a block as its end does; break, return and goto leave it early. */
#if defined(__cplusplus)
template <class T, void (*end)(T *)> class dbm__guard {
    dbm__guard(const dbm__guard &);
    dbm__guard &operator=(const dbm__guard &);
public:
    T held;
    explicit dbm__guard(const T &t) : held(t) {}
    ~dbm__guard() { end(&held); }
};
#  define DBM__OWN(type, end, name, begin) dbm__guard<type, end> name((begin))
#  define DBM__HELD(name) (&name.held)
#  define DBM__GIVE_BACK(end, name) (void)0
#elif DBM__CLEANUP_BLOCKS
#  define DBM__OWN(type, end, name, begin) type name __attribute__((__cleanup__(end))) = (begin)
#  define DBM__HELD(name) (&name)
#  define DBM__GIVE_BACK(end, name) (void)0
#else
#  define DBM__OWN(type, end, name, begin) type name = (begin)
#  define DBM__HELD(name) (&name)
#  define DBM__GIVE_BACK(end, name) end(&name)
#endif
#define DBM__BLOCK(outer, s, step, begin) \
    for (DBM__OWN(dbm_session, dbm__block_over, outer, begin); dbm__block_fresh(DBM__HELD(outer)); DBM__GIVE_BACK(dbm__block_over, outer)) \
        for (dbm_session *const s = DBM__HELD(outer); step(s); )
#define DBM__ROWS(outer, row, begin) \
    for (DBM__OWN(dbm__cursor, dbm__cursor_end, outer, begin); dbm__cursor_once(DBM__HELD(outer)); DBM__GIVE_BACK(dbm__cursor_end, outer)) \
        for (dbm_row *const row = DBM__HELD(outer)->dbm__row; dbm__row_step(row); )
#define DBM__SAVEPOINT2(p, begin) \
    for (DBM__OWN(dbm__savepoint, dbm__savepoint_end, p, begin); DBM__HELD(p)->state == 0; DBM__GIVE_BACK(dbm__savepoint_end, p)) \
        for (; dbm__savepoint_step(DBM__HELD(p)); )

/* >>blocks
 * DBM_SESSION(mgr, name, s) { ... }: checks a connection out, begins, and at the end of the block commits if all calls succeeded, else
 * rolls back; however the block is left, the connection goes back exactly once. If the checkout fails the body does not run.
 * return, break and goto roll back: say dbm_commit(s) first. A block inside another one of the same database, on the same
 * thread, joins it as a savepoint.
 *   DBM_SESSION_ON(db, s)            by handle, which saves the look-up
 *   DBM_SESSION_RC(mgr, name, s, &rc)   the outcome in rc, which is DBM_ROLLED_BACK until then
 *   DBM_SESSION_OPT(mgr, name, s, .timeout_ms = 100, .status = &rc)   any of dbm_session_options
 *   DBM_SESSION_WITH(mgr, name, s, &options)
 *   DBM_RETRY(mgr, name, s, attempts)   runs the body again when it failed in a way that another try may cure (1..100 attempts)
 *   DBM_RETRY_OPT(mgr, name, s, attempts, .transaction = 1)   the same with options; timeout_ms counts for each attempt by itself
 *   DBM_SAVEPOINT(s) { ... }, DBM_SAVEPOINT_RC(s, &rc)   a part that can fail alone; dbm_clear_error(s) after it goes on
 *   DBM_AUTO_SESSION(mgr, name, s, &rc);   a declaration: given back at the end of the scope, commits only by dbm_commit(s)
 *   DBM_FAILED(err) { ... }          runs when the last session block on this thread failed, its checkout and commit included; it
 *                                    is a loop itself, `err` a copy. if (dbm_session_failed(&err)) does the same without one. */
#define DBM_SESSION(mgr, name, s) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, NULL, NULL, DBM__SITE))
#define DBM_SESSION_RC(mgr, name, s, rc) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, NULL, rc, DBM__SITE))
#define DBM_SESSION_ON(db, s) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin_on(db, NULL, NULL, DBM__SITE))
#define DBM_SESSION_WITH(mgr, name, s, options) DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, options, NULL, DBM__SITE))
#define DBM_SESSION_OPT(mgr, name, s, ...) \
    DBM__BLOCK(dbm__s_##s, s, dbm__block_step, dbm__block_begin(mgr, name, DBM__OPTIONS(dbm_session_options, __VA_ARGS__), NULL, DBM__SITE))
#define DBM_RETRY(mgr, name, s, attempts) DBM__BLOCK(dbm__s_##s, s, dbm__retry_step, dbm__retry_begin(mgr, name, NULL, attempts, DBM__SITE))
#define DBM_RETRY_OPT(mgr, name, s, attempts, ...) \
    DBM__BLOCK(dbm__s_##s, s, dbm__retry_step, \
               dbm__retry_begin(mgr, name, DBM__OPTIONS(dbm_session_options, __VA_ARGS__), attempts, DBM__SITE))
#if defined(__COUNTER__)
#  define DBM_SAVEPOINT(s) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __COUNTER__), dbm__savepoint_begin(s, NULL, DBM__SITE))
#  define DBM_SAVEPOINT_RC(s, rc) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __COUNTER__), dbm__savepoint_begin(s, rc, DBM__SITE))
#else
#  define DBM_SAVEPOINT(s) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __LINE__), dbm__savepoint_begin(s, NULL, DBM__SITE))
#  define DBM_SAVEPOINT_RC(s, rc) DBM__SAVEPOINT2(DBM__CAT(dbm__p_, __LINE__), dbm__savepoint_begin(s, rc, DBM__SITE))
#endif
#define DBM_FAILED(err) \
    for (dbm__failure dbm__f_##err = dbm__failure_begin(); dbm__failure_once(&dbm__f_##err); ) \
        for (const dbm_error_info *err = &dbm__f_##err.info; err != NULL; err = NULL)

#define DBM_EACH(on, row, ...) DBM__ROWS(dbm__r_##row, row, DBM__CALL(dbm__each)(DBM__ON(on), DBM__SITE, DBM__VALUES(__VA_ARGS__)))
/* DBM_STMT_EACH(st, row, ...): the row's name is the first of the variadic arguments, so that there may be no values. */
#define DBM_STMT_EACH(st, ...) \
    DBM__STMT_ROWS(DBM__X(DBM__FIRST(__VA_ARGS__, 0)), DBM__CALL(dbm__stmt_each)(st, DBM__STMT_VALUES(DBM__X(DBM__CAT(DBM__REST_, DBM__ALONE(__VA_ARGS__))(__VA_ARGS__)))))
#define DBM__STMT_ROWS(row, begin) DBM__STMT_ROWS2(row, begin)
#define DBM__STMT_ROWS2(row, begin) DBM__ROWS(dbm__r_##row, row, begin)
#define DBM__STMT_VALUES(...) DBM__X(DBM__VALUES(__VA_ARGS__))
#define DBM__FIRST(a, ...) a
#define DBM__REST_1(a) DBM__SITE
#define DBM__REST_0(a, ...) DBM__SITE, __VA_ARGS__

#if !defined(__cplusplus) && DBM__CLEANUP_BLOCKS
#  define DBM_AUTO_SESSION(mgr, name, s, rc) \
    dbm_session dbm__s_##s __attribute__((__cleanup__(dbm__block_end))) = dbm__auto_begin(mgr, name, rc, DBM__SITE), *const s = &dbm__s_##s
#elif defined(__cplusplus)
#  define DBM_AUTO_SESSION(mgr, name, s, rc) \
    dbm__guard<dbm_session, dbm__block_end> dbm__s_##s(dbm__auto_begin(mgr, name, rc, DBM__SITE)); dbm_session *const s = &dbm__s_##s.held
#endif

/* Where there is no cleanup attribute (tcc, MSVC's C), return and goto out of a block need these; they end session `s` and every block and
 * DBM_EACH that was opened inside it. Out of a DBM_EACH alone, name its row: DBM_RETURN(row, value) ends the loop and what is inside it, and
 * leaves a session around it open. Elsewhere they are return and goto. `value` must not use the session or its rows. */
#if defined(__cplusplus) || DBM__CLEANUP_BLOCKS
#  define DBM_RETURN(s, value) return value
#  define DBM_GOTO(s, label) goto label
#else
#  if DBM__HAS_GENERIC
#    define DBM__UNWIND(x) DBM__GENERIC(x, dbm_session *: dbm__unwind, dbm_row *: dbm__unwind_row)(x)
#  else
#    define DBM__UNWIND(s) dbm__unwind(s)
#  endif
#  define DBM_RETURN(s, value) do { DBM__UNWIND(s); return value; } while (0)
#  define DBM_GOTO(s, label) do { DBM__UNWIND(s); goto label; } while (0)
#endif

/* DBM_CONFIG(.name = "a", .pool.size = 5): a `const dbm_config *` for dbm_add_database(), in C and in C++11. */
#define DBM_CONFIG(...) DBM__OPTIONS(dbm_config, __VA_ARGS__)
