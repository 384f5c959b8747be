/* The PostgreSQL adapter as libpq 12 and 13 have it, without a pipeline: all of test_postgresql.c but the round trips. (In the stage that builds
 * the rooms apart, the adapter is the usual one.) */
#define DBM__PG_NO_PIPELINE
#define DBM_TEST_WHOLE
#include "dbm_test.h"
#include "servers/test_servers.h" /* by this line run.sh knows what the test needs */
#include "test_postgresql.c"
