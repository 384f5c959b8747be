/* Tasks: straight-line code that awaits, without a stack or a thread of its own.
 * May call: loop.h.
 * Must not know: databases. */
typedef struct dbm__act dbm_act; /* something under way that can be awaited */
