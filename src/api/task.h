/* Tasks: straight-line code that awaits, without a stack or a thread of its own.
 * May call: loop.h.
 * Must not know: databases. */
