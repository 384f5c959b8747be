/* Listeners on real servers: messages by callback and by task, channels added and taken away, a connection that the server ends, a server that goes
 * and comes back, one that refuses, and every way to end one. */
/* alone: redis (it ends the connections of all who subscribe) */
#include "dbm_test.h"
#include "servers/test_servers.h"

#define OK(call) do { \
        if ((call) != DBM_OK) fail_msg("%s:%d: %s", __FILE__, __LINE__, dbm_last_error()->message); \
    } while (0)

typedef struct base { servers_database fresh; dbm_manager *mgr; dbm_database *db; dbm_loop *loop; test_heap heap; bool redis; } base;

static void open_url(base *b, const char *url) {
    dbm_options options;
    memset(&options, 0, sizeof options);
    memset(&b->heap, 0, sizeof b->heap);
    options.allocator = test_heap_allocator(&b->heap);
    OK(dbm_manager_create(&b->mgr, &options));
    OK(dbm_add_database(b->mgr, DBM_CONFIG(.url = url)));
    b->db = dbm_get(b->mgr, NULL);
    assert_non_null(b->db);
    OK(dbm_loop_create(&b->loop, b->mgr, NULL));
}
static void shut(base *b) {
    dbm_loop_free(b->loop);
    OK(dbm_close_all(b->mgr));
    (void)dbm_manager_free(b->mgr);
    assert_int_equal(test_heap_live(&b->heap), 0);
}
static int set_up(void **state, const char *kind) {
    base *b = (base *)calloc(1, sizeof *b);
    servers_fresh(&b->fresh, kind);
    b->redis = strcmp(kind, "redis") == 0;
    open_url(b, b->fresh.url);
    *state = b;
    return 0;
}
static int on_postgresql(void **state) { return set_up(state, "postgresql"); }
static int on_redis(void **state) { return set_up(state, "redis"); }
static int tear_down(void **state) {
    base *b = (base *)*state;
    shut(b);
    servers_drop(&b->fresh);
    free(b);
    return 0;
}

static void publish(base *b, const char *channel, const char *payload) {
    if (b->redis) OK(dbm_redis_publish(b->db, NULL, channel, payload));
    else OK(dbm_exec(b->db, "SELECT pg_notify(?, ?)", channel, payload));
}

/* What was heard, a line each: "ready", "gap", "channel payload", "pattern:channel payload". */
typedef struct heard { base *b; dbm_listener *l; char text[4000]; int messages, readies, gaps; dbm_status status; bool ends; char why[1024]; } heard;

static void hear(void *ud, const dbm_heard *what) {
    heard *h = (heard *)ud;
    size_t n = strlen(h->text);
    if (h->ends) {
        dbm_listen_end(h->l); /* the message is there all the same */
        h->l = NULL;
    }
    if (what->kind == DBM_HEARD_MESSAGE) {
        const dbm_notification *m = what->message;
        h->messages++;
        (void)snprintf(h->text + n, sizeof h->text - n, "%s%s%s %s\n", m->pattern.type != DBM_TYPE_NULL ? m->pattern.as.text.data : "",
                       m->pattern.type != DBM_TYPE_NULL ? ":" : "", m->channel.as.text.data, m->payload.as.text.data);
        if (!h->b->redis) assert_true(m->process > 0);
    } else {
        assert_null(what->message);
        if (what->kind == DBM_HEARD_READY) h->readies++;
        else h->gaps++;
        if (what->kind == DBM_HEARD_GAP) {
            h->status = what->status;
            assert_int_equal(what->status, dbm_last_error()->status);
            (void)snprintf(h->why, sizeof h->why, "%s", dbm_last_error()->message);
        }
        (void)snprintf(h->text + n, sizeof h->text - n, what->kind == DBM_HEARD_READY ? "ready\n" : "gap\n");
    }
}
static void begin(heard *h, base *b) {
    memset(h, 0, sizeof *h);
    h->b = b;
    OK(dbm_listen(b->loop, b->db, hear, h, &h->l));
}
/* Turns of the loop until so many were heard. */
#define UNTIL(b, condition) do { \
        int turns_; \
        for (turns_ = 0; turns_ < 2000 && !(condition); turns_++) (void)dbm_loop_step((b)->loop, 10); \
        if (!(condition)) fail_msg("%s:%d: waited in vain for " #condition, __FILE__, __LINE__); \
    } while (0)

static void messages(void **state) {
    base *b = (base *)*state;
    heard h;
    begin(&h, b);
    OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "one"));
    OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "Two words"));
    OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "one"));
    UNTIL(b, h.readies == 1);
    publish(b, "one", "a");
    publish(b, "other", "b");
    publish(b, "Two words", "");
    UNTIL(b, h.messages == 2);
    OK(dbm_listen_no_more(h.l, DBM_LISTEN_CHANNEL, "one"));
    OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "three"));
    UNTIL(b, h.readies == 2);
    publish(b, "one", "unheard");
    publish(b, "three", "c");
    UNTIL(b, h.messages == 3);
    assert_string_equal(h.text, "ready\none a\nTwo words \nready\nthree c\n");
    dbm_listen_end(h.l);
}

/* Many at once, and more names than one operation takes. */
static void many(void **state) {
    base *b = (base *)*state;
    heard h;
    int i;
    char name[32];
    begin(&h, b);
    for (i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof name, "channel_%d", i);
        OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, name));
    }
    UNTIL(b, h.readies == 1);
    for (i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "channel_%d", i % 100);
        h.text[0] = 0;
        publish(b, name, "x");
    }
    UNTIL(b, (h.text[0] = 0, h.messages == 300));
    dbm_listen_end(h.l);
    assert_int_equal(h.gaps, 0);
}

static void patterns(void **state) {
    base *b = (base *)*state;
    heard h;
    begin(&h, b);
    OK(dbm_listen_to(h.l, DBM_LISTEN_PATTERN, "news.*"));
    OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "news.local"));
    if (!b->redis) { /* refused, and said so, again and again but once */
        UNTIL(b, h.gaps == 1);
        assert_int_equal(h.status, DBM_E_UNSUPPORTED);
        OK(dbm_listen_no_more(h.l, DBM_LISTEN_PATTERN, "news.*"));
        UNTIL(b, h.readies == 1);
    } else {
        UNTIL(b, h.readies == 1);
        publish(b, "news.world", "a");
        publish(b, "news.local", "b");
        UNTIL(b, h.messages == 3);
        assert_non_null(strstr(h.text, "news.*:news.world a\n"));
        assert_non_null(strstr(h.text, "news.*:news.local b\n"));
        assert_non_null(strstr(h.text, "\nnews.local b\n"));
    }
    dbm_listen_end(h.l);
}

static void kill_listener(base *b) {
    if (b->redis) {
        OK(dbm_redis_command(b->db, "CLIENT KILL TYPE pubsub"));
    } else {
        OK(dbm_exec(b->db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%LISTEN %' AND pid <> pg_backend_pid() AND datname = current_database()"));
    }
}

/* A gap is told once, then all is as before. */
static void ended_by_the_server(void **state) {
    base *b = (base *)*state;
    heard h;
    begin(&h, b);
    OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "one"));
    UNTIL(b, h.readies == 1);
    kill_listener(b);
    UNTIL(b, h.gaps == 1);
    assert_int_equal(h.status, DBM_E_LOST);
    publish(b, "one", "lost");
    UNTIL(b, h.readies == 2);
    publish(b, "one", "a");
    UNTIL(b, h.messages == 1);
    assert_string_equal(h.text, "ready\ngap\nready\none a\n");
    dbm_listen_end(h.l);
}

/* In the callback itself, for each kind of event. */
static void ended_within(void **state) {
    base *b = (base *)*state;
    int when;
    for (when = 0; when < 3; when++) {
        heard h;
        begin(&h, b);
        OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "one"));
        if (when == 0) h.ends = true;
        else UNTIL(b, h.readies == 1);
        h.ends = true;
        if (when == 1) publish(b, "one", "a");
        if (when == 2) kill_listener(b);
        UNTIL(b, h.l == NULL);
        UNTIL(b, dbm_loop_step(b->loop, 0) == DBM_DONE);
    }
}

/* At any moment, and with the loop. */
static void ended_early(void **state) {
    base *b = (base *)*state;
    int turns;
    for (turns = 0; turns < 12; turns++) {
        heard h;
        int i;
        begin(&h, b);
        OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "one"));
        for (i = 0; i < turns; i++) (void)dbm_loop_step(b->loop, 1);
        if (turns % 2 == 0) {
            dbm_listen_end(h.l);
        } else {
            dbm_loop_free(b->loop);
            OK(dbm_loop_create(&b->loop, b->mgr, NULL));
        }
    }
}

static void mistakes(void **state) {
    base *b = (base *)*state;
    heard h;
    dbm_listener *none = NULL;
    assert_int_not_equal(dbm_listen(NULL, b->db, hear, &h, &none), DBM_OK);
    assert_int_not_equal(dbm_listen(b->loop, NULL, hear, &h, &none), DBM_OK);
    assert_int_equal(dbm_listen(b->loop, b->db, hear, &h, NULL), DBM_E_MISUSE);
    begin(&h, b);
    assert_int_not_equal(dbm_listen_to(NULL, DBM_LISTEN_CHANNEL, "x"), DBM_OK);
    assert_int_equal(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, NULL), DBM_E_MISUSE);
    assert_int_equal(dbm_listen_to(h.l, 7, "x"), DBM_E_MISUSE);
    assert_int_equal(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, ""), DBM_E_LIMIT);
    OK(dbm_listen_no_more(h.l, DBM_LISTEN_CHANNEL, "never asked for"));
    dbm_listen_end(h.l);
    dbm_listen_end(NULL);
}

/* ---- by a task ------------------------------------------------------------------------------------------------------------- */

typedef struct reader { base *b; dbm_listener *l; dbm_heard heard; int step; char text[200]; dbm_status last, ended; } reader;

static void note(reader *x) {
    size_t n = strlen(x->text);
    (void)snprintf(x->text + n, sizeof x->text - n, "%s\n", x->heard.kind == DBM_HEARD_READY ? "ready" : x->heard.kind == DBM_HEARD_GAP ? "gap" : x->heard.message->payload.as.text.data);
}
static dbm_task_status reads(dbm_task *t) {
    reader *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    OK(dbm_listen(dbm_task_loop(t), x->b->db, NULL, NULL, &x->l));
    OK(dbm_listen_to(x->l, DBM_LISTEN_CHANNEL, "one"));
    DBM_AWAIT(t, dbm_async_heard(t, x->l, &x->heard));
    note(x);
    for (x->step = 0; x->step < 3; x->step++) publish(x->b, "one", x->step == 0 ? "a" : x->step == 1 ? "b" : "c");
    for (x->step = 0; x->step < 3; x->step++) {
        DBM_AWAIT(t, dbm_async_heard(t, x->l, &x->heard));
        note(x);
    }
    DBM_TRY_AWAIT_WITHIN(t, 30, &x->last, dbm_async_heard(t, x->l, &x->heard));
    assert_int_equal(x->last, DBM_E_TIMEOUT);
    publish(x->b, "one", "d"); /* the wait was left, the message is not lost */
    DBM_AWAIT(t, dbm_async_heard(t, x->l, &x->heard));
    note(x);
    kill_listener(x->b);
    DBM_AWAIT(t, dbm_async_sleep(t, 20));
    DBM_AWAIT(t, dbm_async_heard(t, x->l, &x->heard));
    note(x);
    DBM_AWAIT(t, dbm_async_heard(t, x->l, &x->heard));
    note(x);
    DBM_TASK_FINALLY(t);
    dbm_listen_end(x->l);
    DBM_TASK_END(t);
}
static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    if (error != NULL) fail_msg("%s", error->message);
    ((reader *)ud)->ended = status;
}
static void by_a_task(void **state) {
    base *b = (base *)*state;
    reader x;
    memset(&x, 0, sizeof x);
    x.b = b;
    x.ended = DBM_E_MISUSE;
    (void)dbm_spawn_opt(b->loop, reads, &x, .on_end = on_end, .on_end_ud = &x);
    OK(dbm_loop_run(b->loop, 20000));
    assert_int_equal(x.ended, DBM_OK);
    assert_string_equal(x.text, "ready\na\nb\nc\nd\ngap\nready\n");
}

/* ---- a server that is not there ------------------------------------------------------------------------------------------------ */

static void goes_and_comes_back(void **state) {
    base b;
    servers_own mine;
    heard h;
    (void)state;
    memset(&b, 0, sizeof b);
    b.redis = true;
    servers_start(&mine, "redis", NULL);
    open_url(&b, servers_own_url(&mine, "redis"));
    begin(&h, &b);
    OK(dbm_listen_to(h.l, DBM_LISTEN_CHANNEL, "one"));
    UNTIL(&b, h.readies == 1);
    servers_stop(&mine);
    UNTIL(&b, h.gaps == 1);
    {
        int i;
        for (i = 0; i < 30; i++) (void)dbm_loop_step(b.loop, 10); /* it tries and fails */
    }
    servers_start_again(&mine, NULL);
    UNTIL(&b, h.readies == 2);
    assert_int_equal(h.gaps, 1);
    publish(&b, "one", "a");
    UNTIL(&b, h.messages == 1);
    dbm_listen_end(h.l);
    shut(&b);
    servers_remove(&mine);
}

static void nobody_there(void **state) {
    base b;
    heard h;
    (void)state;
    memset(&b, 0, sizeof b);
    open_url(&b, "redis://127.0.0.1:1/0");
    begin(&h, &b);
    UNTIL(&b, h.gaps == 1);
    assert_int_equal(h.status, DBM_E_CONNECT);
    assert_non_null(strstr(h.why, "127.0.0.1:1"));
    dbm_listen_end(h.l);
    shut(&b);
}

static void without_channels(void **state) {
    base b;
    dbm_listener *l = (dbm_listener *)(void *)&b;
    (void)state;
    memset(&b, 0, sizeof b);
    open_url(&b, "sqlite:///:memory:");
    assert_int_equal(dbm_listen(b.loop, b.db, hear, NULL, &l), DBM_E_UNSUPPORTED);
    assert_null(l);
    assert_non_null(strstr(dbm_last_error()->message, "sqlite"));
    shut(&b);
}

#define ON_BOTH(f) cmocka_unit_test_setup_teardown(f, on_postgresql, tear_down), cmocka_unit_test_setup_teardown(f, on_redis, tear_down)
int main(void) {
    static const struct CMUnitTest tests[] = {
        ON_BOTH(messages), ON_BOTH(many), ON_BOTH(patterns), ON_BOTH(ended_by_the_server), ON_BOTH(ended_within), ON_BOTH(ended_early), ON_BOTH(mistakes),
        ON_BOTH(by_a_task), cmocka_unit_test(goes_and_comes_back), cmocka_unit_test(nobody_there), cmocka_unit_test(without_channels)
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
