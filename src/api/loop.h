/* Loops: what drives the asynchronous half, alone or inside of another library's loop.
 * May call: types.h, manager.h.
 * Must not know: sessions. */
#ifdef __cplusplus
extern "C" {
#endif

typedef struct dbm_loop dbm_loop;
typedef struct dbm_task dbm_task;

#ifdef __cplusplus
}
#endif
