/* The public surface, in reading order. dbm.h begins with these files; the split build includes this one.
 * May call: nothing.
 * Must not know: anything of the implementation. */
#ifndef DBM_DATABASE_MANAGER_H
#define DBM_DATABASE_MANAGER_H
#include "features.h"
#include "options.h"
#include "prefix.h"
#include "types.h"
#include "map.h"
#include "manager.h"
#include "session.h"
#include "bulk.h"
#include "models.h"
#include "redis.h"
#include "mongo.h"
#include "adapter.h"
#include "loop.h"
#include "task.h"
#include "async.h"
#include "listen.h"
#endif /* DBM_DATABASE_MANAGER_H */
