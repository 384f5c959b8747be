/* Listeners: a connection of their own that hears what others publish, and is made again when it breaks.
 * May call: api/, base/, adapter/, async.h.
 * Must not know: the pool, sessions, any driver.
 *
 *     NEW --job--> CONNECT --> WANTS <--change-- HEARS --message--> told, HEARS
 *                     ^        | LISTEN for what is not as it should be; READY when nothing is left
 *                     +--time--+--failure--> GAP
 *
 * A name that is taken away stays in the list until the server has confirmed it. With fn NULL nothing is started until a task asks. */
#include "async.h"
#if DBM_HAS_ASYNC

enum { DBM__LISTEN_NEW = 0, DBM__LISTEN_CONNECT, DBM__LISTEN_WANTS, DBM__LISTEN_HEARS, DBM__LISTEN_GAP, DBM__LISTEN_ENDED };
enum { DBM__LISTEN_NAMES = 32 }; /* in one operation */

typedef struct dbm__heard_name {
    struct dbm__heard_name *next;
    int kind;
    bool wanted, there, asked;           /* asked: in the operation that is under way */
    size_t size;
    char name[1];
} dbm__heard_name;

/* A task that waits for what is heard. */
typedef struct dbm__hearing {
    dbm_act act;
    dbm_listener *of;
    dbm_heard *out;
} dbm__hearing;

struct dbm_listener {
    dbm_listener *next, **in;            /* of the loop */
    dbm_loop *loop;
    dbm_database *db;
    dbm_heard_fn fn;
    void *ud;
    dbm__heard_name *names;
    dbm__hearing *hearing;
    int state;
    bool ready;                          /* READY was told, and no GAP since */
    bool gap;                            /* GAP was told, and no READY since */
    bool running;                        /* an operation is under way */
    bool works;                          /* a worker connects */
    bool soon;                           /* `job` is queued */
    bool fresh;                          /* its descriptor may be another than the one that was watched last */
    int failures, fd;
    dbm__job job;
    dbm__watch watch;
    dbm__worked worked;
    dbm_error_info *error;               /* of the worker; or of a gap that nobody awaits yet, */
    dbm_status gap_status;               /* and its status */
    dbm_connection connection;
    dbm_op op;
    dbm__running run;
    dbm_error_info reported;             /* what the adapter said of the operation under way, while others have failures on this thread */
    dbm_value values[DBM__LISTEN_NAMES];
};

static void dbm__listen_soon(dbm_listener *l) {
    if (l->soon || l->works) return;
    l->soon = true;
    dbm__loop_soon(l->loop, &l->job);
}

/* ---- telling ------------------------------------------------------------------------------------------------------------ */

static bool dbm__listen_wanted(const dbm_listener *l) { return l->fn != NULL || l->hearing != NULL; }

/* The failure of a GAP is this thread's last one. */
static void dbm__listen_tell(dbm_listener *l, dbm_heard_kind kind, dbm_status status) {
    dbm_heard heard;
    dbm__hearing *h = l->hearing;
    heard.kind = kind;
    heard.status = status;
    heard.message = kind == DBM_HEARD_MESSAGE ? (const dbm_notification *)l->op.native : NULL;
    l->ready = kind == DBM_HEARD_READY || (kind == DBM_HEARD_MESSAGE && l->ready);
    l->gap = kind == DBM_HEARD_GAP;
    if (l->fn != NULL) {
        l->fn(l->ud, &heard);
    } else if (h != NULL) {
        l->hearing = NULL;
        *h->out = heard;
        dbm__act_done(&h->act, DBM_OK);
    }
}

/* ---- one operation after the other ---------------------------------------------------------------------------------------- */

/* The operation is done. */
static dbm_status dbm__listen_over(dbm_listener *l) {
    dbm_status st;
    l->running = false;
    st = dbm__op_end(&l->connection, &l->op, l->op.status);
    return l->state == DBM__LISTEN_CONNECT ? dbm__connection_made_alone(&l->connection, st) : st;
}

static void dbm__listen_close(dbm_listener *l, dbm_disconnect how) {
    dbm__heard_name *n;
    dbm__loop_unwatch(l->loop, &l->watch);
    if (l->fd >= 0) dbm__loop_forget(l->loop, l->fd);
    l->fd = -1;
    if (l->running && !dbm__loop_forked(l->loop)) {
        dbm__running_give_up(&l->run, DBM_E_CANCELLED, "given up");
        (void)dbm__listen_over(l);
    }
    dbm__connection_close(&l->connection, dbm__loop_forked(l->loop) ? DBM_DISCONNECT_FORKED : l->connection.broken ? DBM_DISCONNECT_BROKEN : how);
    for (n = l->names; n != NULL; n = n->next) n->there = n->asked = false;
}

/* It waits longer each time, up to 5 s. */
static void dbm__listen_failed(dbm_listener *l, dbm_status st) {
    dbm_error_info kept = dbm__self()->last;
    int64_t pause = (int64_t)50000 << (l->failures < 7 ? l->failures : 7);
    bool told = l->gap;
    dbm__listen_close(l, DBM_DISCONNECT_BROKEN);
    dbm__self()->last = kept;
    l->failures++;
    l->state = DBM__LISTEN_GAP;
    pause = (pause > 5000000 ? 5000000 : pause) / 2;
    dbm__loop_watch(l->loop, &l->watch, -1, 0, dbm__now(l->db->host) + pause + pause * (int64_t)(dbm__random(l->db->host) & 1023u) / 1024);
    if (told) return;
    if (dbm__listen_wanted(l)) {
        dbm__listen_tell(l, DBM_HEARD_GAP, st);
        return;
    }
    l->gap = true;
    l->ready = false;
    l->gap_status = st;
    l->error = dbm__error_keep(l->db->host, st);
}

static bool dbm__listen_waits(dbm_listener *l) {
    if (l->run.want == DBM_STEP_DONE) return false;
    if (l->connection.reported) l->reported = dbm__self()->last;
    l->fd = l->op.fd;
    dbm__loop_watch(l->loop, &l->watch, l->run.want == DBM_STEP_TIMER ? -1 : l->op.fd,
                    ((int)l->run.want & DBM_STEP_BOTH) | (l->fresh ? DBM__WATCH_NEW : 0), dbm__running_until(&l->run));
    l->fresh = l->state == DBM__LISTEN_CONNECT;
    return true;
}

/* True: it waits. */
static bool dbm__listen_start(dbm_listener *l, dbm_op_kind kind, int64_t deadline_us) {
    dbm__op_init(&l->op, kind, deadline_us);
    l->op.sent_affected = l->op.sent_last_id = -1;
    l->connection.reported = false;
    l->running = true;
    if (kind == DBM_OP_LISTEN) {
        dbm__heard_name *n, *first = NULL;
        l->op.values = l->values;
        for (n = l->names; n != NULL; n = n->next) {
            if (n->wanted == n->there) continue;
            if (first == NULL) first = n;
            if (n->kind != first->kind || n->wanted != first->wanted || l->op.value_count == DBM__LISTEN_NAMES) continue;
            n->asked = true;
            l->values[l->op.value_count++] = dbm_textn(n->name, n->size);
        }
        if (first != NULL) l->op.listen = first->kind | (first->wanted ? 0 : DBM_LISTEN_STOP);
    }
    dbm__running_start(&l->run, &l->connection, &l->op);
    return dbm__listen_waits(l);
}

static void dbm__listen_go(dbm_listener *l);

static int64_t dbm__listen_limit(const dbm_listener *l) { return dbm__deadline(l->db->host, l->db->settings->config.connect_timeout_ms); }

/* Its host has a name, and looking that up blocks. */
static void dbm__listen_connects(dbm__worked *worked) {
    dbm_listener *l = (dbm_listener *)(void *)((char *)worked - offsetof(dbm_listener, worked));
    dbm__op_init(&l->op, DBM_OP_CONNECT, dbm__listen_limit(l));
    l->error = dbm__error_keep(l->db->host, dbm__connection_made_alone(&l->connection, dbm__op_run(&l->connection, &l->op)));
}
static void dbm__listen_connected(dbm__worked *worked) {
    dbm_listener *l = (dbm_listener *)(void *)((char *)worked - offsetof(dbm_listener, worked));
    dbm_status st = dbm__error_kept(l->db->host, l->error, l->op.status);
    l->works = false;
    l->error = NULL;
    if (l->state == DBM__LISTEN_ENDED) {
        dbm__listen_soon(l);
        return;
    }
    if (st != DBM_OK) dbm__listen_failed(l, st);
    else l->state = DBM__LISTEN_WANTS;
    dbm__listen_go(l);
}

/* What LISTEN was about is as it was asked for; what is not wanted any more goes. False: something else is to be asked. */
static bool dbm__listen_settled(dbm_listener *l, bool done) {
    dbm__heard_name **p = &l->names, *n;
    bool settled = true;
    while ((n = *p) != NULL) {
        if (n->asked && done) n->there = (l->op.listen & DBM_LISTEN_STOP) == 0;
        n->asked = false;
        if (!n->wanted && !n->there) {
            *p = n->next;
            dbm__free(l->db->host, n);
            continue;
        }
        if (n->wanted != n->there) settled = false;
        p = &n->next;
    }
    return settled;
}

/* The adapter waits in NOTIFIED, which may be left: for a change of names, or for nobody who wants to hear. */
static void dbm__listen_leave(dbm_listener *l) {
    if (!l->running) return;
    dbm__loop_unwatch(l->loop, &l->watch);
    l->running = false;
}

static void dbm__listen_done(dbm_listener *l) {
    dbm_status st = dbm__listen_over(l);
    if (st != DBM_OK) dbm__listen_failed(l, st);
    else if (l->state == DBM__LISTEN_CONNECT) l->state = DBM__LISTEN_WANTS;
    else if (l->state == DBM__LISTEN_WANTS) (void)dbm__listen_settled(l, true);
    else dbm__listen_tell(l, DBM_HEARD_MESSAGE, DBM_OK);
}

/* Goes on as far as it can without waiting. */
static void dbm__listen_go(dbm_listener *l) {
    int turns;
    for (turns = 0; l->state != DBM__LISTEN_ENDED && !l->running && !l->works; turns++) {
        if (turns == 64) { /* others have a turn */
            dbm__listen_soon(l);
            return;
        }
        if (l->state == DBM__LISTEN_NEW) {
            if (!dbm__listen_wanted(l)) return;
            if (l->error != NULL) { /* the gap that nobody awaited */
                dbm_status st = l->gap_status;
                (void)dbm__error_kept(l->db->host, l->error, st);
                l->error = NULL;
                dbm__listen_tell(l, DBM_HEARD_GAP, st);
                continue;
            }
            l->state = DBM__LISTEN_CONNECT;
            l->fresh = true;
            dbm__connection_alone(&l->connection, l->db);
            if (dbm__url_names(l->db->settings->url.hosts) > 0) {
                l->works = true;
                if (dbm__loop_work(l->loop, &l->worked) == DBM_OK) return;
                l->works = false;
                dbm__listen_failed(l, dbm__self()->last.status);
                continue;
            }
            if (dbm__listen_start(l, DBM_OP_CONNECT, dbm__listen_limit(l))) return;
        } else if (l->state == DBM__LISTEN_WANTS) {
            if (dbm__listen_settled(l, false)) {
                if (!dbm__listen_wanted(l)) return;
                l->state = DBM__LISTEN_HEARS;
                l->failures = 0;
                if (!l->ready && l->names != NULL) dbm__listen_tell(l, DBM_HEARD_READY, DBM_OK);
                continue;
            }
            if (dbm__listen_start(l, DBM_OP_LISTEN, dbm__listen_limit(l))) return;
        } else if (l->state == DBM__LISTEN_HEARS) {
            if (!dbm__listen_wanted(l)) return;
            if (dbm__listen_start(l, DBM_OP_NOTIFIED, INT64_MAX)) return;
        } else {
            return; /* a gap: until its time has come */
        }
        dbm__listen_done(l);
    }
}

static void dbm__listen_heard(dbm__watch *watch, dbm_status heard) {
    dbm_listener *l = (dbm_listener *)(void *)((char *)watch - offsetof(dbm_listener, watch));
    if (l->running) {
        if (l->connection.reported) dbm__self()->last = l->reported;
        dbm__running_heard(&l->run, heard);
        if (dbm__listen_waits(l)) return;
        dbm__listen_done(l);
    } else if (l->state == DBM__LISTEN_GAP) {
        l->state = DBM__LISTEN_NEW;
    }
    dbm__listen_go(l);
}

/* ---- beginning and ending --------------------------------------------------------------------------------------------------- */

/* The loop ends: they do, and are given back when all has ended: clean-ups of tasks end them, too. */
static void dbm__listen_end_all(dbm_loop *loop) {
    dbm_listener *l, *next;
    for (l = (dbm_listener *)*dbm__loop_of_listeners(loop); l != NULL; l = next) {
        next = l->next;
        if (l->state != DBM__LISTEN_ENDED) dbm_listen_end(l);
        else dbm__free(l->db->host, l);
    }
}

static void dbm__listen_job(dbm__job *job) {
    dbm_listener *l = (dbm_listener *)(void *)((char *)job - offsetof(dbm_listener, job));
    l->soon = false;
    if (l->state != DBM__LISTEN_ENDED) {
        dbm__listen_go(l);
        return;
    }
    dbm__listen_close(l, DBM_DISCONNECT_POLITE); /* only now: the message may have been in the connection's memory */
    while (l->names != NULL) {
        dbm__heard_name *next = l->names->next;
        dbm__free(l->db->host, l->names);
        l->names = next;
    }
    dbm__loop_release(l->loop);
    dbm__free(l->db->host, l->error);
    if (l->in == NULL) dbm__free(l->db->host, l);
}

DBM__DEF dbm_status dbm_listen(dbm_loop *loop, dbm_database *db, dbm_heard_fn fn, void *ud, dbm_listener **out) {
    dbm_listener **first, *l;
    if (out != NULL) *out = NULL;
    if (loop == NULL || db == NULL) return dbm__fail_null(loop == NULL ? "dbm_listen: the loop is NULL; dbm_loop_create makes one" : "dbm_listen: the database is NULL; dbm_get finds one by its name", NULL);
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, db->name, NULL, "dbm_listen: out is NULL");
    if (dbm__loop_alive(loop, NULL) != DBM_OK) return dbm__self()->last.status;
    if (!(db->adapter->flags & DBM_ADAPTER_LISTEN)) {
        return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_NONE, db->name, NULL, "a backend of type %q has no channels to listen to", db->adapter->type);
    }
    l = (dbm_listener *)dbm__alloc_zero(db->host, sizeof *l);
    if (l == NULL) return dbm__no_memory(DBM_STAGE_NONE, db->name, NULL);
    l->loop = loop;
    l->db = db;
    l->fn = fn;
    l->ud = ud;
    l->job.run = dbm__listen_job;
    l->worked.run = dbm__listen_connects;
    l->worked.done = dbm__listen_connected;
    l->fd = -1;
    dbm__watch_init(&l->watch, dbm__listen_heard);
    first = (dbm_listener **)(void *)dbm__loop_of_listeners(loop);
    l->next = *first;
    l->in = first;
    if (l->next != NULL) l->next->in = &l->next;
    *first = l;
    dbm__loop_at_end(loop, dbm__listen_end_all);
    if (fn != NULL) dbm__loop_hold(loop);
    dbm__listen_soon(l);
    *out = l;
    return DBM_OK;
}

DBM__DEF void dbm_listen_end(dbm_listener *l) {
    if (l == NULL || l->state == DBM__LISTEN_ENDED) return;
    if (!dbm__loop_ends(l->loop) || dbm__loop_forked(l->loop)) {
        *l->in = l->next;
        if (l->next != NULL) l->next->in = l->in;
        l->in = NULL;
    }
    dbm__loop_unwatch(l->loop, &l->watch);
    if (l->fn == NULL) dbm__loop_hold(l->loop); /* until its memory is given back */
    l->state = DBM__LISTEN_ENDED;
    if (l->hearing != NULL) {
        dbm__hearing *h = l->hearing;
        l->hearing = NULL;
        dbm__act_done(&h->act, dbm__fail(DBM_E_CLOSED, DBM_STAGE_NONE, l->db->name, NULL, "the listener has ended"));
    }
    if (dbm__loop_forked(l->loop) && !l->works) dbm__listen_job(&l->job); /* no turn will come */
    else dbm__listen_soon(l);
}

/* ---- channels ----------------------------------------------------------------------------------------------------------------- */

static dbm_status dbm__listen_name(dbm_listener *l, int kind, const char *channel, bool wanted) {
    dbm__heard_name **p, *n;
    size_t size;
    if (l == NULL) return dbm__fail_null(wanted ? "dbm_listen_to: the listener is NULL; dbm_listen makes one" : "dbm_listen_no_more: the listener is NULL; dbm_listen makes one", NULL);
    if (channel == NULL || l->state == DBM__LISTEN_ENDED || kind < DBM_LISTEN_CHANNEL || kind > DBM_LISTEN_SHARD) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, l->db->name, NULL, "%s: %s", wanted ? "dbm_listen_to" : "dbm_listen_no_more", l->state == DBM__LISTEN_ENDED ? "the listener has ended"
                         : channel == NULL ? "the channel is NULL" : "the kind is DBM_LISTEN_CHANNEL, _PATTERN or _SHARD");
    }
    size = strlen(channel);
    if (size == 0 || size > 1000) return dbm__fail(DBM_E_LIMIT, DBM_STAGE_NONE, l->db->name, NULL, "a channel's name has 1 to 1000 bytes, and this one %l", (int64_t)size);
    for (p = &l->names; *p != NULL && ((*p)->kind != kind || (*p)->size != size || memcmp((*p)->name, channel, size) != 0); p = &(*p)->next) {}
    n = *p;
    if (n == NULL ? !wanted : n->wanted == wanted) return DBM_OK;
    if (n == NULL) {
        n = (dbm__heard_name *)dbm__alloc_zero(l->db->host, sizeof *n + size);
        if (n == NULL) return dbm__no_memory(DBM_STAGE_NONE, l->db->name, NULL);
        n->kind = kind;
        n->size = size;
        memcpy(n->name, channel, size);
        *p = n;
    }
    n->wanted = wanted;
    if (wanted) l->ready = false;
    if (l->state == DBM__LISTEN_HEARS) {
        dbm__listen_leave(l);
        l->state = DBM__LISTEN_WANTS;
        dbm__listen_soon(l);
    }
    return DBM_OK;
}

DBM__DEF dbm_status dbm_listen_to(dbm_listener *l, int kind, const char *channel) { return dbm__listen_name(l, kind, channel, true); }
DBM__DEF dbm_status dbm_listen_no_more(dbm_listener *l, int kind, const char *channel) { return dbm__listen_name(l, kind, channel, false); }

/* ---- tasks -------------------------------------------------------------------------------------------------------------------- */

static void dbm__hearing_stop(dbm_act *act) {
    dbm__hearing *h = (dbm__hearing *)(void *)act;
    dbm_listener *l = h->of;
    if (act->done) return;
    l->hearing = NULL;
    if (l->state == DBM__LISTEN_HEARS) dbm__listen_leave(l);
    dbm__act_done(act, dbm__fail(DBM_E_CANCELLED, DBM_STAGE_NONE, l->db->name, NULL, "the wait for a message was cancelled"));
}
static void dbm__hearing_reap(dbm_act *act) { dbm__loop_give(dbm__act_loop(act), act, sizeof(dbm__hearing)); }
static const dbm__act_kind dbm__hearing_kind = { dbm__hearing_stop, NULL, dbm__hearing_reap };

DBM__DEF dbm_act *dbm__async_heard(dbm_task *t, dbm_listener *l, dbm_heard *out, const char *site) {
    dbm__hearing *h;
    if (dbm__task_given(t, "dbm_async_heard", site) == NULL || l == NULL || out == NULL) {
        if (t != NULL) (void)dbm__fail_null(l == NULL ? "dbm_async_heard: the listener is NULL; dbm_listen makes one" : "dbm_async_heard: out is NULL", site);
        return NULL;
    }
    if (l->fn != NULL || l->hearing != NULL || l->state == DBM__LISTEN_ENDED) {
        (void)dbm__fail(l->state == DBM__LISTEN_ENDED ? DBM_E_CLOSED : DBM_E_MISUSE, DBM_STAGE_NONE, l->db->name, site, "dbm_async_heard: %s",
                        l->state == DBM__LISTEN_ENDED ? "the listener has ended" : l->fn != NULL ? "the listener has a callback" : "another task awaits it");
        return NULL;
    }
    h = (dbm__hearing *)dbm__act_take(l->loop, sizeof *h, site);
    if (h == NULL) return NULL;
    h->of = l;
    h->out = out;
    dbm__act_begin(&h->act, l->loop, t, &dbm__hearing_kind);
    l->hearing = h;
    dbm__listen_soon(l);
    return &h->act;
}
#else
static dbm_status dbm__no_listeners(void) {
    return dbm__fail(DBM_E_NOT_COMPILED, DBM_STAGE_NONE, NULL, NULL, "the asynchronous half is not compiled in: define DBM_WITH_ASYNC in the file with DBM_IMPLEMENTATION");
}
DBM__DEF dbm_status dbm_listen(dbm_loop *loop, dbm_database *db, dbm_heard_fn fn, void *ud, dbm_listener **out) {
    (void)loop; (void)db; (void)fn; (void)ud;
    if (out != NULL) *out = NULL;
    return dbm__no_listeners();
}
DBM__DEF dbm_status dbm_listen_to(dbm_listener *l, int kind, const char *channel) { (void)l; (void)kind; (void)channel; return dbm__no_listeners(); }
DBM__DEF dbm_status dbm_listen_no_more(dbm_listener *l, int kind, const char *channel) { (void)l; (void)kind; (void)channel; return dbm__no_listeners(); }
DBM__DEF dbm_act *dbm__async_heard(dbm_task *t, dbm_listener *l, dbm_heard *out, const char *site) { (void)t; (void)l; (void)out; (void)site; (void)dbm__no_listeners(); return NULL; }
DBM__DEF void dbm_listen_end(dbm_listener *l) { (void)l; }
#endif /* DBM_HAS_ASYNC */
