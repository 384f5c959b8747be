/* What differs between SQLite, PostgreSQL and MySQL/MariaDB behind the same calls, and why: the one list. test_backends.c asks it, and README shows it;
 * tests/readme.py compares the two. Everything that is not here is the same on all three, and is tested on all three.
 *
 *     X(name, what is looked at, SQLite, PostgreSQL, MySQL and MariaDB, why) */
#define DIFFERENCES(X) \
    X(LAST_ID, "`dbm_last_id` after an INSERT", "the key", "the first column of `RETURNING`; without it an error that shows how", "the key", \
      "PostgreSQL has no notion of a last key") \
    X(BIG_UNSIGNED, "an unsigned value over 2^63 - 1", "`DBM_E_RANGE`", "`DBM_E_RANGE`, except for NUMERIC", "BIGINT UNSIGNED holds it", \
      "the other two have no unsigned type") \
    X(INFINITY, "an infinite double", "kept", "kept", "`DBM_E_RANGE`", "IEEE infinities are no values of MySQL's DOUBLE") \
    X(NUL_IN_TEXT, "a byte 0 inside of a text", "kept", "an error of the server", "kept", "PostgreSQL's texts can't hold it; blobs do, everywhere") \
    X(DDL, "CREATE TABLE after a write of the same session", "part of the transaction", "part of the transaction", "`DBM_E_IMPLICIT_COMMIT`", \
      "MySQL commits at DDL by itself") \
    X(TIMESTAMPS, "the type of a timestamp's column", "text, or a number", "`DBM_TYPE_TIMESTAMP`", "`DBM_TYPE_TIMESTAMP`", \
      "SQLite has no such type; `dbm_row_timestamp` reads all of them") \
    X(BOOLEANS, "the type of a BOOLEAN column", "`DBM_TYPE_INT`", "`DBM_TYPE_BOOL`", "`DBM_TYPE_BOOL`", \
      "BOOLEAN is a number in SQLite; `dbm_row_bool` reads all of them") \
    X(CONFLICTS, "two sessions that change one row after reading it", "`DBM_E_SERIALIZATION`", \
      "`DBM_E_SERIALIZATION` from REPEATABLE READ on; at READ COMMITTED, its default, the second one waits and goes on", \
      "the second one waits and goes on; `DBM_E_DEADLOCK` when each waits for the other", "each backend's own way of isolation") \
    X(CONSTRAINT_NAMES, "`constraint_name` of a UNIQUE failure", "table.column", "the constraint", "the index", "what the backend says")
