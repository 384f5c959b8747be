/* Worker threads for what blocks: a bounded queue, lanes in order.
 * May call: api/, base/, async.h.
 * Must not know: what is run. */
#include "async.h"
#if DBM_HAS_ASYNC
#endif /* DBM_HAS_ASYNC */
