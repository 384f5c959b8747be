/* What the two files of the PostgreSQL adapter share: libpq, the server's types, and the rows of a bulk on their way into COPY.
 * May call: api/, base/, and libpq.
 * Must not know: anything else. */
#ifndef DBM__POSTGRESQL_H
#define DBM__POSTGRESQL_H
#include "../base/base.h"
#if DBM_HAS_POSTGRESQL
#if defined(__has_include)
#  if !__has_include(<libpq-fe.h>)
#    if __has_include(<postgresql/libpq-fe.h>)
#      define DBM__PG_BELOW 1
#    else
#      define DBM__PG_MISSING 1
#    endif
#  endif
#endif
#if defined(DBM__PG_MISSING)
#  error "dbm: DBM_WITH_POSTGRESQL needs libpq-fe.h: install libpq-dev (Debian), libpq-dev (Alpine), libpq (macOS), or put libpq-fe.h on the include path"
#else
#if defined(DBM__PG_BELOW)
#  include <postgresql/libpq-fe.h>
#else
#  include <libpq-fe.h>
#endif

/* The server's types that have one of ours; others are texts. */
enum {
    DBM__PG_BOOL = 16, DBM__PG_BYTEA = 17, DBM__PG_CHAR = 18, DBM__PG_NAME = 19, DBM__PG_INT8 = 20, DBM__PG_INT2 = 21, DBM__PG_INT4 = 23,
    DBM__PG_TEXT = 25, DBM__PG_OID = 26, DBM__PG_JSON = 114, DBM__PG_FLOAT4 = 700, DBM__PG_FLOAT8 = 701, DBM__PG_UNKNOWN = 705,
    DBM__PG_BPCHAR = 1042, DBM__PG_VARCHAR = 1043, DBM__PG_DATE = 1082, DBM__PG_TIME = 1083, DBM__PG_TIMESTAMP = 1114,
    DBM__PG_TIMESTAMPTZ = 1184, DBM__PG_NUMERIC = 1700, DBM__PG_UUID = 2950, DBM__PG_JSONB = 3802
};

#define DBM__PG_EPOCH INT64_C(946684800000000) /* 2000-01-01, in microseconds since 1970 */
#define DBM__PG_LAST_YEAR 294246               /* the last one whose microseconds since 1970 fit; PostgreSQL has 30 more */

/* These write where there is room already, and answer where the next byte goes. */
DBM__INLINE char *dbm__pg_to16(char *to, uint32_t v) {
    unsigned char *at = (unsigned char *)to;
    at[0] = (unsigned char)(v >> 8);
    at[1] = (unsigned char)v;
    return to + 2;
}
DBM__INLINE char *dbm__pg_to32(char *to, uint32_t v) {
    unsigned char *at = (unsigned char *)to;
    at[0] = (unsigned char)(v >> 24);
    at[1] = (unsigned char)(v >> 16);
    at[2] = (unsigned char)(v >> 8);
    at[3] = (unsigned char)v;
    return to + 4;
}
DBM__INLINE char *dbm__pg_to64(char *to, uint64_t v) {
    dbm__pg_to32(to, (uint32_t)(v >> 32));
    return dbm__pg_to32(to + 4, (uint32_t)v);
}
DBM__INLINE char *dbm__pg_to_bytes(char *to, const char *data, size_t size) {
    to = dbm__pg_to32(to, (uint32_t)size);
    memcpy(to, data, size);
    return to + size;
}
DBM__INLINE uint32_t dbm__pg_get32(const char *data) {
    const unsigned char *p = (const unsigned char *)data;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

DBM__FN size_t dbm__pg_put_timestamp(char *block, int64_t us); /* needs 40 bytes; how many it has written, before a NUL */
/* A block of so many bytes, and more where it grows often. False: no memory. */
DBM__FN bool dbm__pg_grow_to(dbm_database *db, char **block, size_t *size, size_t need);
DBM__INLINE bool dbm__pg_grow(dbm_database *db, char **block, size_t *size, size_t need) { return DBM__LIKELY(need <= *size) ? true : dbm__pg_grow_to(db, block, size, need); }
DBM__FN size_t dbm__pg_bytes(const char *data, size_t size, char *out);

/* A bulk: its rows, encoded, until COPY takes them. */
typedef struct dbm__pg_copy dbm__pg_copy;
/* NULL: no memory. The plan outlives it. */
DBM__FN dbm__pg_copy *dbm__pg_copy_make(dbm_database *db, dbm_bulk_plan *plan);
DBM__FN void dbm__pg_copy_free(dbm__pg_copy *k);
/* A SELECT that is described and never run: its columns are those that COPY fills. */
DBM__FN const char *dbm__pg_copy_select(const dbm__pg_copy *k);
/* Takes that description, and chooses the form of the rows. False: no memory. */
DBM__FN bool dbm__pg_copy_described(dbm__pg_copy *k, PGconn *conn, PGresult *res);
/* The COPY itself. */
DBM__FN const char *dbm__pg_copy_command(const dbm__pg_copy *k);
/* Hands a piece of the rows to libpq: 1, or 0 when there are none; -1 as PQputCopyData says it. */
DBM__FN int dbm__pg_copy_put(dbm__pg_copy *k, PGconn *conn);
/* No row follows. False: no memory. */
DBM__FN bool dbm__pg_copy_last(dbm__pg_copy *k);
/* Which row and column the server's words are about, where they tell. */
DBM__FN void dbm__pg_copy_blame(dbm__pg_copy *k, const char *context);
DBM__FN dbm_status dbm__pg_bulk_row(dbm_connection *c, dbm_op *op, const dbm_value *values);
DBM__FN dbm_status dbm__pg_bulk_columns(dbm_connection *c, dbm_op *op, const dbm_column *columns, size_t first, size_t count, size_t *taken);
#endif /* DBM__PG_MISSING */
#endif /* DBM_HAS_POSTGRESQL */
#endif /* DBM__POSTGRESQL_H */
