/* Hears what others publish: PostgreSQL's NOTIFY or Redis' PUBLISH, by one URL.
 *     cc listen.c -DDBM_WITH_POSTGRESQL -DDBM_WITH_REDIS -I.. -I/usr/include/postgresql -lpq -lpthread -o listen
 *     ./listen redis://localhost:6379 orders payments
 *     ./listen postgresql://localhost/shop orders             (elsewhere: psql shop -c "NOTIFY orders, '17'")
 * With --self N it publishes N messages itself, and ends when it has heard them; without arguments it does that on POSTGRESQL_URL. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_ASYNC
#include "dbm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dbm_loop *loop;
static dbm_listener *listener;
static dbm_database *db;
static const char *url, *channel;
static int expected;

static dbm_status publish(void *ud) { /* on a worker: it may block */
    int i;
    dbm_status st = DBM_OK;
    (void)ud;
    for (i = 0; i < expected && st == DBM_OK; i++) {
        char payload[32];
        (void)snprintf(payload, sizeof payload, "message %d", i + 1);
        st = strncmp(url, "redis", 5) == 0 ? dbm_redis_publish(db, NULL, channel, payload)
                                                         : dbm_exec(db, "SELECT pg_notify(?, ?)", channel, payload);
    }
    return st;
}
static dbm_task_status publisher(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_call(t, publish, NULL));
    DBM_TASK_END(t);
}

/* Missing a message is told, never hidden: after a gap, a program reads the state itself when it is READY again. */
static void heard(void *ud, const dbm_heard *what) {
    static int count;
    (void)ud;
    switch (what->kind) {
    case DBM_HEARD_READY:
        puts("listening");
        if (expected > 0 && count == 0) (void)dbm_spawn(loop, publisher, NULL);
        break;
    case DBM_HEARD_GAP:
        printf("nothing is heard until the server is back: %s\n", dbm_last_error()->message);
        break;
    default:
        printf("%s: %s\n", what->message->channel.as.text.data, what->message->payload.as.text.data);
        if (++count == expected) dbm_listen_end(listener); /* then nothing is under way, and the loop ends */
    }
    (void)fflush(stdout);
}

int main(int argc, char **argv) {
    dbm_manager *mgr = NULL;
    dbm_status st;
    static char self[] = "--self", three[] = "3", orders[] = "orders";
    char *unasked[5];
    int i = 2;
    if (argc == 1 && getenv("POSTGRESQL_URL") != NULL) {
        unasked[0] = argv[0];
        unasked[1] = getenv("POSTGRESQL_URL");
        unasked[2] = self;
        unasked[3] = three;
        unasked[4] = orders;
        argv = unasked;
        argc = 5;
    }
    if (argc > 4 && strcmp(argv[2], "--self") == 0) {
        expected = atoi(argv[3]);
        i = 4;
    }
    if (argc <= i) return fprintf(stderr, "usage: listen URL [--self N] CHANNEL...\n"), 2;
    url = argv[1];
    channel = argv[i];
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_add_database(mgr, DBM_CONFIG(.name = "default", .url = url)) != DBM_OK
        || (db = dbm_get(mgr, "default")) == NULL || dbm_loop_create(&loop, mgr, NULL) != DBM_OK || dbm_listen(loop, db, heard, NULL, &listener) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        dbm_manager_free(mgr);
        return 1;
    }
    for (; i < argc; i++) dbm_listen_to(listener, DBM_LISTEN_CHANNEL, argv[i]);
    st = dbm_loop_run(loop, expected > 0 ? 30000 : -1);
    dbm_loop_free(loop);
    dbm_manager_free(mgr);
    return st == DBM_OK ? 0 : 1;
}
