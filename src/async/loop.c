/* The loop: descriptors, times, jobs, and the ways to be part of another loop.
 * May call: api/, base/, net/, async.h.
 * Must not know: sessions, tasks. */
#include "async.h"
#if DBM_HAS_ASYNC
#endif /* DBM_HAS_ASYNC */
