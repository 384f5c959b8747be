/* dbm.h 0.1.0: one C header that manages all of a program's databases. MIT licence or public domain, at your choice (at the end).
 *
 * GENERATED from src/ by amalgamate.py, content @DBM_CONTENT_HASH@: edit src/, not this file.
 * Options: DBM_API DBM_ASSERT DBM_CLOCK_US DBM_CONFIG_FILE DBM_FREE DBM_IMPLEMENTATION DBM_MALLOC 
 *   DBM_NO_ATOMICS DBM_NO_CLEANUP DBM_NO_CONFIG DBM_NO_ENV DBM_NO_FLOAT DBM_NO_GENERIC DBM_NO_LOG_TEXT 
 *   DBM_NO_STDIO DBM_NO_THREADS DBM_PREFIX DBM_REALLOC DBM_STATIC DBM_WITH_ALL DBM_WITH_INI DBM_WITH_SQLITE
 */
