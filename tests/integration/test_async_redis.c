/* The cases of test_redis.c for values, errors and sessions through the asynchronous side: sessions are begun and ended by a loop, and commands on them awaited. */
/* alone: redis (it ends the connections of all who subscribe) */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#define TEST_AWAITED
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "integration/test_redis.c"
