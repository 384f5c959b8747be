/* Sessions and statements that are awaited: by tasks, or with a callback.
 * May call: types.h, session.h, loop.h, task.h.
 * Must not know: how they are driven. */
