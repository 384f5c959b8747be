/* What is built on sessions: models (structs as rows of tables) and scripts. There is nothing here for other rooms to call but the
 * public functions; this header is what the files of the room share.
 * May call: api/, base/, sql/'s conversions and lexer, session/.
 * Must not know: connections, prepared statements, how a backend is spoken to. */
#ifndef DBM__DATA_H
#define DBM__DATA_H
#include "../session/session.h"
#include "../sql/sql.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DBM__MODEL_FIELDS 64         /* as many as DBM_MODEL takes */

#ifdef __cplusplus
}
#endif
#endif /* DBM__DATA_H */
