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
#endif /* DBM__DATA_H */
