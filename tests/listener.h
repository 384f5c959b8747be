/* A listener's connection as src/async/ drives one, on the synchronous loop: for tests of the adapters' LISTEN and NOTIFIED. */
#ifndef TEST_LISTENER_H
#define TEST_LISTENER_H
#include "dbm_test.h"

typedef struct listener { dbm_connection c; dbm_op op; dbm__running running; } listener;

TEST_HELPER dbm_status listener_open(listener *l, dbm_database *of) {
    dbm__connection_alone(&l->c, of);
    dbm__op_init(&l->op, DBM_OP_CONNECT, dbm__now(of->host) + 5000000);
    return dbm__connection_made_alone(&l->c, dbm__op_run(&l->c, &l->op));
}
TEST_HELPER dbm_status listener_hears(listener *l, int about, const dbm_value *names, int count) {
    dbm__op_init(&l->op, DBM_OP_LISTEN, dbm__now(l->c.db->host) + 5000000);
    l->op.listen = about;
    l->op.values = names;
    l->op.value_count = count;
    return dbm__op_run(&l->c, &l->op);
}
TEST_HELPER dbm_status listener_pings(listener *l) {
    dbm__op_init(&l->op, DBM_OP_PING, dbm__now(l->c.db->host) + 5000000);
    return dbm__op_run(&l->c, &l->op);
}
/* Begins to wait; true: a notification is there already. Else it is left, or gone on with by listener_waits(). */
TEST_HELPER bool listener_waits_for(listener *l) {
    l->c.reported = false;
    dbm__op_init(&l->op, DBM_OP_NOTIFIED, INT64_MAX);
    dbm__running_start(&l->running, &l->c, &l->op);
    if (l->running.want == DBM_STEP_DONE) return true;
    assert_int_equal(l->running.want, DBM_STEP_READ);
    assert_true(l->op.fd >= 0);
    return false;
}
TEST_HELPER dbm_status listener_waits(listener *l) {
    if (!listener_waits_for(l)) {
        while (l->running.want != DBM_STEP_DONE) {
            dbm_status heard = dbm__net_wait(l->c.db->host, l->op.fd, (int)l->running.want, dbm__now(l->c.db->host) + 5000000);
            if (heard == DBM_E_TIMEOUT) fail_msg("nothing was heard");
            dbm__running_heard(&l->running, heard);
        }
    }
    return dbm__op_end(&l->c, &l->op, l->op.status);
}
/* `pattern` NULL: none. */
#define HEARS(l, wanted_channel, wanted_pattern, wanted_payload) do { \
        const dbm_notification *n_; \
        const char *pattern_ = wanted_pattern; \
        if (listener_waits(l) != DBM_OK) fail_msg("%s:%d: %s", __FILE__, __LINE__, dbm_last_error()->message); \
        n_ = (const dbm_notification *)(l)->op.native; \
        assert_string_equal(n_->channel.as.text.data, wanted_channel); \
        assert_int_equal(n_->channel.as.text.size, strlen(wanted_channel)); \
        assert_string_equal(n_->payload.as.text.data, wanted_payload); \
        if (pattern_ != NULL) assert_string_equal(n_->pattern.as.text.data, pattern_); \
        else assert_int_equal(n_->pattern.type, DBM_TYPE_NULL); \
    } while (0)
TEST_HELPER void listener_close(listener *l) { dbm__connection_close(&l->c, l->c.broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE); }
#endif
