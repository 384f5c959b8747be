/* The table of cases of test_backends.c through the asynchronous side: PostgreSQL and MariaDB by steps on the loop, SQLite on its workers. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#define TEST_AWAITED
#include "dbm_test.h"
#include "servers/test_servers.h"
#include "integration/test_backends.c"
