/* Sockets, as far as they are the same for every backend: waiting for one, and asking whether its peer is still there.
 * May call: api/, base/.
 * Must not know: protocols, pools, sessions. */
#ifndef DBM__NET_H
#define DBM__NET_H
#include "../base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Waits until fd is ready for `want` (DBM_STEP_READ, DBM_STEP_WRITE, or both), until until_us on the host's clock at the latest
 * (INT64_MAX: a second at the most, so that the caller can look around; a time that has passed: one look). A negative fd is only waited with, as is DBM_STEP_TIMER.
 * Returns   DBM_OK: ready, also for the end of the stream and for an error that reading or writing will tell;
 *           DBM_E_TIMEOUT; DBM_E_LOST: fd is none, or is broken with nothing to read or write; DBM_E_UNSUPPORTED: this system
 *           cannot wait for sockets. The thread's last failure is left to the caller, who knows the database. */
DBM__FN dbm_status dbm__net_wait(dbm__host *host, int fd, int want, int64_t until_us);

/* The same for up to DBM__NET_MANY sockets at once: comes back when one is ready, or at the time. `heard` of each says what dbm__net_wait() would
 * have; one with a negative fd is only waited with. */
#define DBM__NET_MANY 64
typedef struct dbm__net_item { int fd, want; dbm_status heard; } dbm__net_item;
DBM__FN void dbm__net_wait_many(dbm__host *host, dbm__net_item *items, int count, int64_t until_us);

/* Looks at an idle connection without a round trip and without reading from it.
 * Returns   DBM_OK: open and silent; DBM_E_LOST: closed, broken, or bytes came that nobody asked for; DBM_E_UNSUPPORTED. */
DBM__FN dbm_status dbm__net_peek(int fd);

#ifdef __cplusplus
}
#endif
#endif /* DBM__NET_H */
