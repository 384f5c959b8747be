/* The calls of a session that are awaited: the same promises as the synchronous ones, step by step.
 * May call: api/, base/, net/, adapter/, pool/, sql/, session/, manager/, async.h.
 * Must not know: any driver, or how a loop waits. */
#include "async.h"
#if DBM_HAS_ASYNC
#endif /* DBM_HAS_ASYNC */
