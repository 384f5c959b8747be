/* The adapters that are built in, one function each: what manager/ puts into its map.
 * May call: api/, base/.
 * Must not know: how any of them works, nor each other. */
#ifndef DBM__ADAPTERS_H
#define DBM__ADAPTERS_H
#include "../base/base.h"

#if DBM_HAS_SQLITE
DBM__FN const dbm_adapter *dbm__adapter_sqlite(void);
/* The ..._shutdown functions tear down what a driver keeps for the whole process: only when no connection of anybody is left
 * (opts.own_drivers). */
DBM__FN void dbm__adapter_sqlite_shutdown(void);
#endif
#if DBM_HAS_POSTGRESQL
DBM__FN const dbm_adapter *dbm__adapter_postgresql(void);
#endif
#if DBM_HAS_MYSQL
DBM__FN const dbm_adapter *dbm__adapter_mysql(void);
DBM__FN void dbm__adapter_mysql_shutdown(void);
#endif
#if DBM_HAS_REDIS
DBM__FN const dbm_adapter *dbm__adapter_redis(void);
#endif
#if DBM_HAS_MONGODB
DBM__FN const dbm_adapter *dbm__adapter_mongodb(void);
DBM__FN void dbm__adapter_mongodb_shutdown(void);
#endif
#endif /* DBM__ADAPTERS_H */
