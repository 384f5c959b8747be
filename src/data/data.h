/* What is built on sessions: models (structs as rows of tables) and scripts. There is nothing here for other rooms to call but the
 * public functions; this header is what the files of the room share.
 * May call: api/, base/, sql/'s conversions and lexer, session/.
 * Must not know: connections, prepared statements, how a backend is spoken to. */
#ifndef DBM__DATA_H
#define DBM__DATA_H
#include "../session/session.h"
#include "../sql/sql.h"

#define DBM__MODEL_FIELDS 64         /* as many as DBM_MODEL takes */

/* Puts a text before the message of the statement's failure that was just reported, and sets its status: in the session, where it
 * sticks, and as this thread's last failure. Returns the status. */
DBM__FN dbm_status dbm__failure_place(dbm_session *s, dbm_status status, const char *before);

/* A command's words instead of its run: by dbm__redis_callv() with DBM__REDIS_WANT_WORDS; the second is for a format and values by codes. */
typedef struct dbm__redis_use { dbm_status (*use)(void *ud, const dbm_value *words, int count, bool writes); void *ud; } dbm__redis_use;
DBM__FN dbm_status dbm__redis_commanded(dbm_session *on, const char *site, dbm__redis_use *use, const char *format, const char *codes, va_list *ap);
#endif /* DBM__DATA_H */
