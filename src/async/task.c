/* Tasks and what they await: how they are resumed, joined, cancelled and ended.
 * May call: api/, base/, async.h.
 * Must not know: statements. */
#include "async.h"
#if DBM_HAS_ASYNC
#endif /* DBM_HAS_ASYNC */
