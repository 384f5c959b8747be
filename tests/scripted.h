/* A database server that does what a test says: adapters made of the public table alone, over one plan.
 * Forms:  scripted  blocking entries, nothing to peek at      socketed  the same, with .alive, and pinged as sockets are
 *         serial    the same, one result at a time
 *         stepped   start and step on a real socket pair      sharing   SHARED, statements of its own (DBM_PH_NATIVE)
 *         piped     the same with a pipeline: what is sent without waiting runs, as planned, when something waits, or when `window` are there
 *         batched   piped, and a pipeline whose answers are received
 *         bare      init and close, nothing else
 *
 *     server *v = server_make();                                   a backend: plan, log, connections
 *     dbm_manager *mgr = server_manager(&clock_or_null);            all forms registered by dbm_register
 *     dbm_database *db = server_add(mgr, v, "scripted", &config);   config may be NULL
 *     plan_fail(v, DBM_OP_CONNECT, 2, DBM_E_AUTH, "28P01");         the second connect from now on fails
 *     plan(v, DBM_OP_COMMIT, 1, LOSE);                              the connection dies at the next commit
 *                                                                  n = 0 is every call until plan_clear()
 *     server_end_all();                                             nothing is left open
 *     v->bulk_window = 4                                            blocking forms and stepped take rows in bulk, so many at a time
 *
 * Statements: `rows 3 x 2` (integers 100 * row + column), `rows 3 x 2 text`, `rows 3 x 2 write` (writes and has rows), `write`, `fail 23505`, `set x`, `ddl` (commits by itself), and the
 * words of transactions; as a COMMAND too. Every entry checks that no lock of dbm.h is held, that no two threads are in one connection, and that
 * transactions begin and end in order. A check that fails ends the program at once: other threads can't return to cmocka.
 *
 * And what such tests need: a clock that stands until it is moved, workers (threads that run what they are given, one thing at a
 * time), UNTIL (waits for a condition, 30 s at most). */
#ifndef DBM_TEST_SCRIPTED_H
#define DBM_TEST_SCRIPTED_H
#include "dbm_test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>

#define CHECK(x) do { if (!(x)) check_failed(__FILE__, __LINE__, #x); } while (0)
#define CHECK_STATUS(st, want) check_status(__FILE__, __LINE__, #st, st, want)
#define UNTIL(x) do { for (int until_i = 0; !(x); until_i++) { if (until_i > 150000) check_failed(__FILE__, __LINE__, "in 30 s: " #x); pause_us(until_i < 50 ? 20 : 200); } } while (0)

TEST_HELPER void check_failed(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: failed: %s\n  last error here: %s %s\n", file, line, what, dbm_status_name(dbm_last_error()->status), dbm_last_error()->message);
    abort();
}
TEST_HELPER void check_status(const char *file, int line, const char *what, dbm_status st, dbm_status want) {
    if (st == want) return;
    fprintf(stderr, "%s:%d: %s is %s, expected %s\n", file, line, what, dbm_status_name(st), dbm_status_name(want));
    check_failed(file, line, what);
}
TEST_HELPER void pause_us(long us) {
    struct timespec t = { us / 1000000, us % 1000000 * 1000 };
    (void)nanosleep(&t, NULL);
}
TEST_HELPER int64_t real_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the clock ---------------------------------------------------------------------------------------------------------- */
static int64_t virtual_now = 1000000000, virtual_step; /* the step: what each look moves it by */
TEST_HELPER int64_t virtual_clock(void *ud) { (void)ud; return __atomic_fetch_add(&virtual_now, __atomic_load_n(&virtual_step, __ATOMIC_RELAXED), __ATOMIC_RELAXED); }
TEST_HELPER void clock_move_us(int64_t us) { (void)__atomic_add_fetch(&virtual_now, us, __ATOMIC_RELAXED); }
TEST_HELPER void clock_move_ms(int64_t ms) { clock_move_us(ms * 1000); }

/* ---- the server ----------------------------------------------------------------------------------------------------------- */
enum { ON_ALIVE = DBM_OP_BULK_END + 1, ON_DISCONNECT, ON_CANCEL, ON_INIT, ON_CLOSE, ON_START, ON_STEP, ON_COLUMN, KINDS };
typedef enum plan_action { FAIL, DELAY, DROP, LOSE, BLOCK, REFUSE } plan_action;
/* FAIL: with status and SQLSTATE. DELAY: first wait. DROP: no answer, ever. LOSE: the connection dies. BLOCK: inside of the entry, until
 * server_release(); then it fails when a status was given. REFUSE: E_UNSUPPORTED without a word. */

typedef struct plan_entry {
    int kind;
    long nth;                 /* absolute number of the call; 0: each */
    plan_action action;
    dbm_status status;
    char sqlstate[6], text[160];
    int64_t delay_us;
    bool used;
} plan_entry;

typedef struct server_call { int kind, connection, thread, how; char sql[48]; int64_t deadline_us; } server_call;
#define SERVER_LOG 4096

struct link;
typedef struct server {
    int index;
    char url[128];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    plan_entry plan[32];
    int planned;
    server_call log[SERVER_LOG];
    int logged;
    long counts[KINDS];
    long connections;         /* made so far: each has a number from 1 */
    int live, live_most;      /* open now; the most at any time */
    int connecting, connecting_most;
    int blocked;              /* calls inside of BLOCK */
    long releases;
    int statements, results;  /* prepared and open; rows being read */
    int bulks;                /* open */
    int bulk_window;          /* rows that are gathered before they are sent; 0: no bulk */
    long bulk_sent, bulk_kept; /* rows that were sent, less what was rolled back; that were committed */
    long bulk_bad;            /* a row whose first value is this number is refused, when it is sent; 0: none */
    long commits, rollbacks, last_id;
    long value_count;
    char first_value[64];
    struct link *links[1200];
    /* how it behaves */
    bool as_sql;              /* BEGIN and its fellows are unsupported as operations */
    bool no_prepare, no_savepoints;
    bool write_first;         /* stepped: asks to write before it reads */
    bool timer_first;         /* stepped: waits 1 ms by the timer first */
    bool by_hand;             /* batched: an answer is there when the test has sent a byte */
    bool step_poll;           /* stepped: looks again every millisecond, to hear of a cancel */
    bool deaf;                /* a cancel is not heard */
    int window;               /* piped: so many may be unanswered; 0: DBM_PIPELINE_MAX */
    int queued_most;          /* there were */
    int batch_most;           /* the same of a batch */
    long batches;             /* that were sent */
    bool no_queue;            /* piped: runs all at once */
    bool prepare_waits;       /* piped: PREPARE asks the server, as it does in the other forms */
    bool finish_answers;      /* piped: FINISH finds what was sent answered */
    bool lazy_points;         /* piped: SAVEPOINT goes into the pipeline, too */
    bool begun_read_only, begun_write; /* what the last BEGIN said */
    bool asks_credentials;
    const long *lingers; /* a COMMIT lets others write, and ends when this is set */
    const char *gate;
    char user[64], password[64];
    int64_t (*clock)(void *ud);
    void *db_handle;
} server;

typedef struct link {         /* one connection */
    server *v;
    int number, fd[2];
    bool dead, cancelled;
    int busy;
    bool in_transaction, step_active, asked, ended;
    int points;
    int phase;
    plan_entry fault;
    int64_t due_us;
    struct { char sql[48]; const dbm_prepared *prepared; plan_entry fault; } queue[DBM_PIPELINE_MAX];
    int queued;
    struct { char sql[48]; dbm_prepared *prepared; plan_entry fault; } batch[DBM_PIPELINE_MAX];
    int batched;
    bool batch_heard;         /* its answers are there */
    bool aborted;             /* nothing runs but ROLLBACK */
    int64_t *bulk;            /* the first values of the rows that were gathered; what bulk->data points to */
    int gathered;
} link_t;

typedef struct server_answer { int rows, columns, at; bool text; char cell[16][32]; } server_answer;

static server servers[8];
static int servers_made;
static int server_threads;
static _Thread_local int server_thread;
TEST_HELPER int this_thread(void) {
    if (server_thread == 0) server_thread = __atomic_add_fetch(&server_threads, 1, __ATOMIC_RELAXED);
    return server_thread;
}

TEST_HELPER server *server_make(void) {
    CHECK(servers_made < (int)(sizeof servers / sizeof servers[0]));
    server *v = &servers[servers_made];
    memset(v, 0, sizeof *v);
    v->index = servers_made++;
    (void)pthread_mutex_init(&v->lock, NULL);
    (void)pthread_cond_init(&v->changed, NULL);
    return v;
}
/* Not 0: something was left open, by a fault or by a test that ended early. */
TEST_HELPER int server_end_all(void) {
    int left = 0;
    for (int i = 0; i < servers_made; i++) {
        left += servers[i].live + servers[i].results + servers[i].statements + servers[i].bulks;
        if (left != 0) fprintf(stderr, "left open: %d connections, %d results, %d statements, %d bulks\n", servers[i].live, servers[i].results, servers[i].statements, servers[i].bulks);
    }
    servers_made = 0;
    return left;
}

TEST_HELPER long server_count(server *v, int kind) { return __atomic_load_n(&v->counts[kind], __ATOMIC_RELAXED); }
TEST_HELPER int server_live(server *v) { return __atomic_load_n(&v->live, __ATOMIC_RELAXED); }

TEST_HELPER plan_entry *plan(server *v, int kind, long nth, plan_action action) {
    (void)pthread_mutex_lock(&v->lock);
    CHECK(v->planned < (int)(sizeof v->plan / sizeof v->plan[0]));
    plan_entry *e = &v->plan[v->planned];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->nth = nth == 0 ? 0 : v->counts[kind] + nth;
    e->action = action;
    v->planned++;
    (void)pthread_mutex_unlock(&v->lock);
    return e;
}
TEST_HELPER void plan_fail(server *v, int kind, long nth, dbm_status status, const char *sqlstate) {
    plan_entry *e = plan(v, kind, nth, FAIL);
    (void)pthread_mutex_lock(&v->lock);
    e->status = status;
    (void)snprintf(e->sqlstate, sizeof e->sqlstate, "%s", sqlstate);
    (void)pthread_mutex_unlock(&v->lock);
}
TEST_HELPER void plan_fail_text(server *v, int kind, long nth, dbm_status status, const char *text) {
    plan_entry *e = plan(v, kind, nth, FAIL);
    (void)pthread_mutex_lock(&v->lock);
    e->status = status;
    (void)snprintf(e->text, sizeof e->text, "%s", text);
    (void)pthread_mutex_unlock(&v->lock);
}
TEST_HELPER void plan_delay(server *v, int kind, long nth, int64_t us) {
    plan_entry *e = plan(v, kind, nth, DELAY);
    (void)pthread_mutex_lock(&v->lock);
    e->delay_us = us;
    (void)pthread_mutex_unlock(&v->lock);
}
TEST_HELPER void plan_clear(server *v) {
    (void)pthread_mutex_lock(&v->lock);
    v->planned = 0;
    (void)pthread_mutex_unlock(&v->lock);
}
TEST_HELPER void log_clear(server *v) {
    (void)pthread_mutex_lock(&v->lock);
    v->logged = 0;
    (void)pthread_mutex_unlock(&v->lock);
}
/* Calls of a kind in the log; connection 0: of any. */
TEST_HELPER int log_count(server *v, int kind, int connection) {
    int n = 0;
    (void)pthread_mutex_lock(&v->lock);
    for (int i = 0; i < v->logged && i < SERVER_LOG; i++) n += v->log[i].kind == kind && (connection == 0 || v->log[i].connection == connection);
    (void)pthread_mutex_unlock(&v->lock);
    return n;
}
/* The log as text: "connect1 execute1:write commit1"; valid until the next call. */
TEST_HELPER const char *log_text(server *v) {
    static const char *const names[KINDS] = { "connect", "begin", "commit", "rollback", "savepoint", "release", "rollback_to", "prepare", "unprepare",
        "execute", "fetch", "hold", "finish", "script", "ping", "reset", "native", "command", "sync", "receive",
        "bulk", "bulk_send", "bulk_end", "alive", "disconnect", "cancel", "init", "close", "start", "step", "column" };
    static char text[8192];
    size_t n = 0;
    text[0] = 0;
    (void)pthread_mutex_lock(&v->lock);
    for (int i = 0; i < v->logged && i < SERVER_LOG && n < sizeof text; i++) {
        const server_call *call = &v->log[i];
        int k = call->kind;
        if (k == DBM_OP_PREPARE || k == DBM_OP_UNPREPARE || k == DBM_OP_FINISH || k == DBM_OP_FETCH || k == ON_START || k == ON_STEP || k == ON_COLUMN) continue;
        int w = snprintf(text + n, sizeof text - n, "%s%s%d%s%s", n != 0 ? " " : "", names[k], call->connection, call->sql[0] != 0 ? ":" : "", call->sql);
        if (w > 0) n += (size_t)w;
    }
    (void)pthread_mutex_unlock(&v->lock);
    return text;
}

TEST_HELPER void server_wait_blocked(server *v, int n) { UNTIL(__atomic_load_n(&v->blocked, __ATOMIC_RELAXED) == n); }
TEST_HELPER void server_release(server *v) {
    (void)pthread_mutex_lock(&v->lock);
    v->releases++;
    (void)pthread_cond_broadcast(&v->changed);
    (void)pthread_mutex_unlock(&v->lock);
}
/* The server's end of a connection goes away. */
TEST_HELPER void server_kill(server *v, int number) {
    (void)pthread_mutex_lock(&v->lock);
    for (int i = 0; i < (int)(sizeof v->links / sizeof v->links[0]); i++) {
        link_t *l = v->links[i];
        if (l == NULL || (number != 0 && l->number != number)) continue;
        __atomic_store_n(&l->dead, true, __ATOMIC_RELAXED);
        if (l->fd[1] >= 0) (void)shutdown(l->fd[1], SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&v->lock);
}

/* ---- inside of an entry ---------------------------------------------------------------------------------------------------- */

#if DBM__THREADS
TEST_HELPER void must_be_free(pthread_mutex_t *m, const char *what) {
    struct timespec t;
    if (pthread_mutex_trylock(m) != 0) {
        (void)clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += 20;
        if (pthread_mutex_timedlock(m, &t) != 0) check_failed(__FILE__, __LINE__, what);
    }
    (void)pthread_mutex_unlock(m);
}
TEST_HELPER void no_lock_is_held(dbm_database *db) {
    if (db->pool != NULL) must_be_free(&db->pool->lock.os, "the pool's lock is not held during a driver call");
    must_be_free(&db->shared->graph_lock.os, "the graph's lock is not held during a driver call");
    if (db->gate != NULL) must_be_free(&db->gate->lock.os, "a gate's lock is not held during a driver call");
}
#else
TEST_HELPER void no_lock_is_held(dbm_database *db) { (void)db; }
#endif

/* Notes a call and finds what is planned for it. */
TEST_HELPER bool server_note(server *v, dbm_database *db, int kind, int connection, int how, const char *sql, int64_t deadline_us, plan_entry *fault) {
    bool found = false;
    no_lock_is_held(db);
    (void)pthread_mutex_lock(&v->lock);
    long n = __atomic_add_fetch(&v->counts[kind], 1, __ATOMIC_RELAXED);
    if (v->logged < SERVER_LOG) {
        server_call *call = &v->log[v->logged];
        call->kind = kind;
        call->connection = connection;
        call->thread = this_thread();
        call->how = how;
        call->deadline_us = deadline_us;
        (void)snprintf(call->sql, sizeof call->sql, "%s", sql != NULL ? sql : "");
    }
    v->logged++;
    for (int i = 0; i < v->planned; i++) {
        plan_entry *e = &v->plan[i];
        if (e->kind != kind || e->used || (e->nth != 0 && e->nth != n)) continue;
        if (e->nth != 0) e->used = true;
        if (fault != NULL) *fault = *e;
        found = true;
        break;
    }
    (void)pthread_mutex_unlock(&v->lock);
    return found;
}

TEST_HELPER int64_t server_now(server *v) { return v->clock != NULL ? v->clock(NULL) : real_us(); }

TEST_HELPER dbm_status link_lost(dbm_connection *c, link_t *l) {
    __atomic_store_n(&l->dead, true, __ATOMIC_RELAXED);
    return dbm_adapter_fail(c, DBM_E_LOST, "08006", 0, "the server closed the connection");
}

/* Carries a fault out, blocking form. DBM_OK: go on with the operation. */
TEST_HELPER dbm_status fault_run(dbm_connection *c, server *v, link_t *l, const plan_entry *f, int64_t deadline_us) {
    int64_t due;
    long seen;
    switch (f->action) {
    case FAIL:
        return dbm_adapter_fail(c, f->status, f->sqlstate[0] != 0 ? f->sqlstate : NULL, 7, f->text[0] != 0 ? f->text : "as planned");
    case REFUSE: return DBM_E_UNSUPPORTED;
    case LOSE: return link_lost(c, l);
    case DELAY:
    case DROP:
        due = f->action == DROP ? INT64_MAX : server_now(v) + f->delay_us;
        while (server_now(v) < due) {
            if (server_now(v) >= deadline_us) {
                dbm_adapter_broken(c);
                return dbm_adapter_fail(c, DBM_E_TIMEOUT, NULL, 0, "no answer in time");
            }
            if (__atomic_load_n(&l->cancelled, __ATOMIC_RELAXED)) {
                __atomic_store_n(&l->cancelled, false, __ATOMIC_RELAXED);
                return dbm_adapter_fail(c, DBM_E_CANCELLED, "57014", 0, "cancelled");
            }
            pause_us(200);
        }
        return DBM_OK;
    case BLOCK:
        (void)pthread_mutex_lock(&v->lock);
        seen = v->releases;
        (void)__atomic_add_fetch(&v->blocked, 1, __ATOMIC_RELAXED);
        while (seen == v->releases) (void)pthread_cond_wait(&v->changed, &v->lock);
        (void)__atomic_sub_fetch(&v->blocked, 1, __ATOMIC_RELAXED);
        (void)pthread_mutex_unlock(&v->lock);
        if (f->status != DBM_OK) return dbm_adapter_fail(c, f->status, f->sqlstate[0] != 0 ? f->sqlstate : NULL, 7, "as planned");
        return DBM_OK;
    }
    return DBM_OK;
}

TEST_HELPER void link_enter(dbm_connection *c, link_t *l) {
    if (!(c->db->adapter->flags & DBM_ADAPTER_SHARED)) CHECK(__atomic_add_fetch(&l->busy, 1, __ATOMIC_ACQ_REL) == 1);
}
TEST_HELPER void link_leave(dbm_connection *c, link_t *l) {
    if (!(c->db->adapter->flags & DBM_ADAPTER_SHARED)) (void)__atomic_sub_fetch(&l->busy, 1, __ATOMIC_ACQ_REL);
}

/* Counted by tests of bulks, of one thread; here many may pass. */
TEST_HELPER void bulk_settle(long *to, long *from) { __atomic_store_n(to, __atomic_load_n(from, __ATOMIC_RELAXED), __ATOMIC_RELAXED); }

TEST_HELPER link_t *link_open(server *v) {
    link_t *l = (link_t *)calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->v = v;
    l->fd[0] = l->fd[1] = -1;
    (void)pthread_mutex_lock(&v->lock);
    l->number = (int)++v->connections;
    for (int i = 0;; i++) {
        CHECK(i < (int)(sizeof v->links / sizeof v->links[0]));
        if (v->links[i] == NULL) { v->links[i] = l; break; }
    }
    (void)__atomic_add_fetch(&v->live, 1, __ATOMIC_RELAXED);
    if (v->live > v->live_most) v->live_most = v->live;
    (void)pthread_mutex_unlock(&v->lock);
    return l;
}
TEST_HELPER void link_close(link_t *l) {
    server *v = l->v;
    (void)pthread_mutex_lock(&v->lock);
    for (int i = 0; i < (int)(sizeof v->links / sizeof v->links[0]); i++) if (v->links[i] == l) v->links[i] = NULL;
    (void)__atomic_sub_fetch(&v->live, 1, __ATOMIC_RELAXED);
    (void)pthread_mutex_unlock(&v->lock);
    if (l->fd[0] >= 0) (void)close(l->fd[0]);
    if (l->fd[1] >= 0) (void)close(l->fd[1]);
    if (l->bulk != NULL) { /* the connection broke */
        free(l->bulk);
        (void)__atomic_sub_fetch(&v->bulks, 1, __ATOMIC_RELAXED);
    }
    if (l->in_transaction) bulk_settle(&v->bulk_sent, &v->bulk_kept);
    free(l);
}

TEST_HELPER bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* What a statement is: filled in by PREPARE. */
TEST_HELPER void statement_kind(const char *sql, dbm_prepared *p) {
    bool rows = starts(sql, "rows ") || starts(sql, "SELECT");
    p->returns_rows = rows;
    p->writes = !rows || strstr(sql, " write") != NULL;
}

TEST_HELPER dbm_status link_statement(dbm_connection *c, server *v, link_t *l, dbm_op *op) {
    const char *sql = op->kind == DBM_OP_COMMAND ? op->values[0].as.text.data : op->sql;
    char word[32] = "";
    int rows = 1, columns = 1, n = 0;
    CHECK(sql != NULL && (op->kind == DBM_OP_COMMAND || (op->prepared != NULL && strlen(sql) == op->sql_size)));
    CHECK(!l->aborted);
    (void)pthread_mutex_lock(&v->lock);
    v->value_count = op->value_count;
    v->first_value[0] = 0;
    if (op->value_count > 0) {
        const dbm_value *first = &op->values[0];
        if (first->type == DBM_TYPE_INT) (void)snprintf(v->first_value, sizeof v->first_value, "%lld", (long long)first->as.integer);
        else if (first->type == DBM_TYPE_TEXT) (void)snprintf(v->first_value, sizeof v->first_value, "%.*s", (int)first->as.text.size, first->as.text.data);
    }
    (void)pthread_mutex_unlock(&v->lock);
    if (strcmp(sql, "BEGIN") == 0) {
        CHECK(!l->in_transaction);
        l->in_transaction = true;
        l->points = 0;
    } else if (strcmp(sql, "COMMIT") == 0) {
        CHECK(l->in_transaction);
        l->in_transaction = false;
    } else if (strcmp(sql, "ROLLBACK") == 0) {
        l->in_transaction = false;
    } else if (sscanf(sql, "SAVEPOINT dbm_%d", &n) == 1) {
        CHECK(l->in_transaction && l->points == n - 1);
        l->points = n;
    } else if (sscanf(sql, "RELEASE SAVEPOINT dbm_%d", &n) == 1) {
        CHECK(l->in_transaction && l->points >= n);
        l->points = n - 1;
    } else if (sscanf(sql, "ROLLBACK TO SAVEPOINT dbm_%d", &n) == 1) {
        CHECK(l->in_transaction && l->points >= n);
        l->points = n;
    } else if (starts(sql, "ddl")) {
        op->ended = l->in_transaction; /* the server commits by itself, and says so */
        l->in_transaction = false;
        l->ended = true;
        op->affected = 0;
    } else if (starts(sql, "fail ")) {
        (void)sscanf(sql, "fail %31s", word);
        return dbm_adapter_fail(c, DBM_OK, word, 7, "the statement failed");
    } else if (starts(sql, "rows ") || starts(sql, "SELECT")) {
        server_answer *a = (server_answer *)calloc(1, sizeof *a);
        CHECK(a != NULL);
        (void)sscanf(sql, "rows %d x %d %31s", &rows, &columns, word);
        CHECK(columns <= 16);
        a->rows = rows;
        a->columns = columns;
        a->text = strcmp(word, "text") == 0;
        op->result = a;
        op->columns = columns;
        (void)__atomic_add_fetch(&v->results, 1, __ATOMIC_RELAXED);
    } else if (starts(sql, "write") || starts(sql, "set ") || starts(sql, "INSERT")) {
        (void)pthread_mutex_lock(&v->lock);
        op->last_id = ++v->last_id;
        (void)pthread_mutex_unlock(&v->lock);
        op->affected = 1;
    } else {
        return dbm_adapter_fail(c, DBM_OK, "42601", 7, "what is that?");
    }
    return DBM_OK;
}

/* Rows in bulk: gathered, and sent `bulk_window` at a time; a row that is refused is found out then. */
TEST_HELPER dbm_status bulk_send(dbm_connection *c, server *v, link_t *l, dbm_op *op) {
    for (int i = 0; i < l->gathered; i++) {
        int64_t row = op->bulk->rows - l->gathered + i;
        if (v->bulk_bad == 0 || l->bulk[i] != v->bulk_bad) {
            (void)__atomic_add_fetch(&v->bulk_sent, 1, __ATOMIC_RELAXED);
            continue;
        }
        (void)dbm_adapter_fail(c, DBM_OK, "23505", 7, "the row is there already");
        if (op->bulk->each_row) {
            dbm_adapter_bulk_refused(c, op, row);
            continue;
        }
        op->bulk->failed_row = row;
        l->gathered = 0;
        return DBM_E_CONSTRAINT;
    }
    l->gathered = 0;
    return DBM_OK;
}
TEST_HELPER dbm_status bulk_do(dbm_connection *c, server *v, link_t *l, dbm_op *op) {
    dbm_status st = DBM_OK;
    if (op->kind == DBM_OP_BULK) {
        CHECK(l->bulk == NULL && op->bulk != NULL && op->bulk->data == NULL && op->bulk->table[0] != 0 && op->bulk->column_count > 0);
        if (v->bulk_window == 0) return DBM_E_UNSUPPORTED;
        op->bulk->data = l->bulk = (int64_t *)malloc((size_t)v->bulk_window * sizeof *l->bulk);
        CHECK(l->bulk != NULL);
        l->gathered = 0;
        (void)__atomic_add_fetch(&v->bulks, 1, __ATOMIC_RELAXED);
        return DBM_OK;
    }
    CHECK(l->bulk != NULL && op->bulk->data == l->bulk);
    if (__atomic_load_n(&l->dead, __ATOMIC_RELAXED)) st = link_lost(c, l);
    else if (!op->bulk->abandon) st = bulk_send(c, v, l, op);
    if (op->kind == DBM_OP_BULK_SEND) return st;
    if (!l->in_transaction) bulk_settle(&v->bulk_kept, &v->bulk_sent); /* nothing is undone */
    free(l->bulk);
    l->bulk = NULL;
    (void)__atomic_sub_fetch(&v->bulks, 1, __ATOMIC_RELAXED);
    return st;
}
TEST_HELPER dbm_status on_bulk_row(dbm_connection *c, dbm_op *op, const dbm_value *values) {
    link_t *l = (link_t *)dbm_adapter_data(c);
    server *v = l->v;
    CHECK(l->bulk != NULL && op->bulk->data == l->bulk && l->gathered < v->bulk_window);
    if (values[0].type == DBM_TYPE_BLOB) {
        op->bulk->failed_column = 0;
        return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "a blob is no key");
    }
    l->bulk[l->gathered++] = values[0].as.integer;
    return l->gathered == v->bulk_window ? DBM_DONE : DBM_OK;
}

/* The operation itself. */
TEST_HELPER dbm_status link_do(dbm_connection *c, server *v, link_t *l, dbm_op *op) {
    server_answer *a = (server_answer *)op->result;
    if (op->kind == DBM_OP_FINISH) {
        CHECK(a != NULL);
        free(a);
        (void)__atomic_sub_fetch(&v->results, 1, __ATOMIC_RELAXED);
        return DBM_OK;
    }
    if (op->kind == DBM_OP_UNPREPARE) {
        CHECK(op->prepared != NULL && op->prepared->data != NULL);
        free(op->prepared->data);
        op->prepared->data = NULL;
        (void)__atomic_sub_fetch(&v->statements, 1, __ATOMIC_RELAXED);
        return DBM_OK;
    }
    if (op->kind == DBM_OP_BULK_END || (op->kind == DBM_OP_BULK_SEND && op->bulk != NULL)) return bulk_do(c, v, l, op);
    if (__atomic_load_n(&l->dead, __ATOMIC_RELAXED)) return link_lost(c, l);
    CHECK(l->bulk == NULL); /* nothing comes between BULK and BULK_END */
    switch (op->kind) {
    case DBM_OP_BULK: return bulk_do(c, v, l, op);
    case DBM_OP_BEGIN:
        if (v->as_sql) return DBM_E_UNSUPPORTED;
        __atomic_store_n(&v->begun_read_only, op->read_only, __ATOMIC_RELAXED);
        __atomic_store_n(&v->begun_write, op->write, __ATOMIC_RELAXED);
        CHECK(!l->in_transaction);
        l->in_transaction = true;
        l->points = 0;
        return DBM_OK;
    case DBM_OP_COMMIT:
        if (v->as_sql) return DBM_E_UNSUPPORTED;
        CHECK(l->in_transaction && !l->aborted);
        l->in_transaction = false;
        if (v->lingers != NULL) {
            dbm_adapter_written(c);
            UNTIL(__atomic_load_n(v->lingers, __ATOMIC_RELAXED) != 0);
        }
        (void)__atomic_add_fetch(&v->commits, 1, __ATOMIC_RELAXED);
        bulk_settle(&v->bulk_kept, &v->bulk_sent);
        return DBM_OK;
    case DBM_OP_ROLLBACK:
        if (v->as_sql) return DBM_E_UNSUPPORTED;
        CHECK(l->in_transaction || l->ended);
        l->in_transaction = l->ended = l->aborted = false;
        (void)__atomic_add_fetch(&v->rollbacks, 1, __ATOMIC_RELAXED);
        bulk_settle(&v->bulk_sent, &v->bulk_kept);
        return DBM_OK;
    case DBM_OP_SAVEPOINT:
        if (v->as_sql) return DBM_E_UNSUPPORTED;
        CHECK(l->in_transaction && l->points == op->savepoint - 1 && !l->aborted);
        l->points = op->savepoint;
        return DBM_OK;
    case DBM_OP_RELEASE: case DBM_OP_ROLLBACK_TO:
        if (v->as_sql) return DBM_E_UNSUPPORTED;
        CHECK(l->in_transaction && l->points >= op->savepoint && (!l->aborted || op->kind == DBM_OP_ROLLBACK_TO));
        l->points = op->savepoint - 1;
        if (op->kind == DBM_OP_ROLLBACK_TO) bulk_settle(&v->bulk_sent, &v->bulk_kept);
        l->aborted = false;
        return DBM_OK;
    case DBM_OP_PREPARE:
        if (v->no_prepare) return DBM_E_UNSUPPORTED;
        op->prepared->data = malloc(1);
        CHECK(op->prepared->data != NULL);
        (void)__atomic_add_fetch(&v->statements, 1, __ATOMIC_RELAXED);
        statement_kind(op->sql, op->prepared);
        return DBM_OK;
    case DBM_OP_EXECUTE: case DBM_OP_COMMAND: return link_statement(c, v, l, op);
    case DBM_OP_FETCH:
        CHECK(a != NULL);
        if (a->at >= a->rows) return DBM_DONE;
        a->at++;
        return DBM_OK;
    case DBM_OP_HOLD: case DBM_OP_PING: return DBM_OK;
    case DBM_OP_RESET:
        if (!(c->db->adapter->flags & DBM_ADAPTER_SHARED)) l->in_transaction = false;
        return DBM_OK;
    case DBM_OP_NATIVE:
        op->native = l;
        return DBM_OK;
    case DBM_OP_SYNC: return l->fd[0] >= 0 ? DBM_OK : DBM_E_UNSUPPORTED;
    case DBM_OP_CONNECT: case DBM_OP_UNPREPARE: case DBM_OP_FINISH: case DBM_OP_SCRIPT:
    case DBM_OP_RECEIVE: case DBM_OP_BULK_SEND: case DBM_OP_BULK_END: case DBM_OP_LISTEN: case DBM_OP_NOTIFIED: case DBM__OP_SIGNED: break;
    }
    return DBM_E_UNSUPPORTED;
}

/* ---- the table's entries ------------------------------------------------------------------------------------------------------ */

TEST_HELPER server *server_of(dbm_database *db) {
    const char *path = dbm_adapter_url(db)->path;
    int i = path[0] - '0';
    CHECK(i >= 0 && i < servers_made && path[1] == 0);
    return &servers[i];
}

TEST_HELPER dbm_status on_init(dbm_database *db) {
    server *v = server_of(db);
    plan_entry f;
    v->db_handle = v;
    dbm_adapter_set_db_data(db, v);
    if (v->gate != NULL) CHECK(dbm_adapter_gate(db, v->gate) == DBM_OK);
    if (server_note(v, db, ON_INIT, 0, 0, NULL, 0, &f)) return dbm_adapter_fail_init(db, f.status, f.text[0] != 0 ? f.text : "as planned");
    return DBM_OK;
}
TEST_HELPER void on_close(dbm_database *db) {
    server *v = (server *)dbm_adapter_db_data(db);
    (void)server_note(v, db, ON_CLOSE, 0, 0, NULL, 0, NULL);
}

TEST_HELPER dbm_status link_welcome(dbm_connection *c, server *v) {
    dbm_credentials who;
    dbm_status st;
    if (!v->asks_credentials) return DBM_OK;
    st = dbm_adapter_credentials(c, &who);
    if (st != DBM_OK) return st;
    (void)pthread_mutex_lock(&v->lock);
    (void)snprintf(v->user, sizeof v->user, "%s", who.user);
    (void)snprintf(v->password, sizeof v->password, "%s", who.password);
    (void)pthread_mutex_unlock(&v->lock);
    return DBM_OK;
}

TEST_HELPER dbm_status on_connect(dbm_connection *c, dbm_op *op) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    link_t *l = link_open(v);
    plan_entry f;
    dbm_status st = DBM_OK;
    CHECK(op->kind == DBM_OP_CONNECT);
    int now = __atomic_add_fetch(&v->connecting, 1, __ATOMIC_RELAXED);
    (void)pthread_mutex_lock(&v->lock);
    if (now > v->connecting_most) v->connecting_most = now;
    (void)pthread_mutex_unlock(&v->lock);
    if (server_note(v, c->db, DBM_OP_CONNECT, l->number, 0, NULL, op->deadline_us, &f)) st = fault_run(c, v, l, &f, op->deadline_us);
    if (st == DBM_OK) st = link_welcome(c, v);
    (void)__atomic_sub_fetch(&v->connecting, 1, __ATOMIC_RELAXED);
    if (st != DBM_OK) {
        link_close(l);
        return st;
    }
    dbm_adapter_set_data(c, l);
    return DBM_OK;
}

TEST_HELPER void on_disconnect(dbm_connection *c, dbm_disconnect how) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    link_t *l = (link_t *)dbm_adapter_data(c);
    plan_entry f;
    CHECK(l != NULL);
    if (server_note(v, c->db, ON_DISCONNECT, l->number, (int)how, NULL, 0, &f)) (void)fault_run(c, v, l, &f, INT64_MAX);
    link_enter(c, l);
    if (l->step_active) (void)__atomic_sub_fetch(&v->connecting, 1, __ATOMIC_RELAXED); /* a connect that was given up */
    link_close(l);
}

TEST_HELPER dbm_status on_alive(dbm_connection *c) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    link_t *l = (link_t *)dbm_adapter_data(c);
    plan_entry f;
    if (server_note(v, c->db, ON_ALIVE, l->number, 0, NULL, 0, &f)) {
        dbm_status st = fault_run(c, v, l, &f, INT64_MAX);
        if (st != DBM_OK) return st;
    }
    return __atomic_load_n(&l->dead, __ATOMIC_RELAXED) ? link_lost(c, l) : DBM_OK;
}

TEST_HELPER dbm_status on_operation(dbm_connection *c, dbm_op *op) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    link_t *l = (link_t *)dbm_adapter_data(c);
    plan_entry f;
    dbm_status st = DBM_OK;
    CHECK(l != NULL);
    link_enter(c, l);
    if (server_note(v, c->db, (int)op->kind, l->number, op->savepoint, op->sql, op->deadline_us, &f)) st = fault_run(c, v, l, &f, op->deadline_us);
    if (st == DBM_OK || op->kind == DBM_OP_FINISH || op->kind == DBM_OP_UNPREPARE || op->kind == DBM_OP_BULK_END) {
        dbm_status done = link_do(c, v, l, op);
        if (st == DBM_OK) st = done;
    }
    link_leave(c, l);
    return st;
}

TEST_HELPER void on_cancel(dbm_connection *c) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    link_t *l = (link_t *)dbm_adapter_data(c);
    (void)server_note(v, c->db, ON_CANCEL, l != NULL ? l->number : 0, 0, NULL, 0, NULL);
    if (l == NULL || v->deaf || __atomic_exchange_n(&l->cancelled, true, __ATOMIC_RELAXED)) return;
    if (l->fd[1] >= 0) (void)!send(l->fd[1], "c", 1, MSG_NOSIGNAL); /* the server's answer */
}

TEST_HELPER dbm_status on_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    server_answer *a = (server_answer *)op->result;
    (void)server_note(v, c->db, ON_COLUMN, 0, i, NULL, 0, NULL);
    CHECK(a != NULL && i >= 0 && i < a->columns && a->at >= 1 && a->at <= a->rows);
    if (a->text) {
        int n = snprintf(a->cell[i], sizeof a->cell[i], "%d.%d", a->at - 1, i);
        *out = dbm_textn(a->cell[i], (size_t)n);
    } else {
        *out = dbm_int((a->at - 1) * 100 + i);
    }
    return DBM_OK;
}
TEST_HELPER const char *on_column_name(dbm_connection *c, dbm_op *op, int i) {
    static const char *const names[] = { "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15" };
    (void)c;
    (void)op;
    return names[i];
}

/* The pipeline. */
TEST_HELPER bool piped(const dbm_connection *c, const link_t *l, const dbm_op *op) {
    return (c->db->adapter->flags & DBM_ADAPTER_PIPELINE) && op->kind == DBM_OP_EXECUTE && op->no_wait && !op->reply && !l->v->no_queue
           && (l->fault.kind < 0 || (l->fault.action != BLOCK && l->fault.action != REFUSE));
}
TEST_HELPER int queue_room(const link_t *l) { return (l->v->window > 0 ? l->v->window : DBM_PIPELINE_MAX) - l->queued; }
TEST_HELPER void queue_put(link_t *l, dbm_op *op) {
    if (op->kind == DBM_OP_SAVEPOINT) (void)snprintf(l->queue[l->queued].sql, sizeof l->queue[0].sql, "SAVEPOINT dbm_%d", op->savepoint);
    else (void)snprintf(l->queue[l->queued].sql, sizeof l->queue[0].sql, "%s", op->sql);
    l->queue[l->queued].prepared = op->prepared;
    l->queue[l->queued++].fault = l->fault;
    if (l->queued > l->v->queued_most) l->v->queued_most = l->queued;
    op->queued = true;
}
TEST_HELPER bool queue_silent(const link_t *l) {
    for (int i = 0; i < l->queued; i++) if (l->queue[i].fault.kind >= 0 && l->queue[i].fault.action == DROP) return true;
    return false;
}
/* So many of it run. The first one that fails drops the rest. */
TEST_HELPER dbm_status queue_run(dbm_connection *c, link_t *l, dbm_op *op, int count) {
    dbm_status st = DBM_OK;
    int i;
    for (i = 0; i < count && st == DBM_OK; i++) {
        const plan_entry *f = &l->queue[i].fault;
        dbm_op run;
        memset(&run, 0, sizeof run);
        dbm_prepared point;
        memset(&point, 0, sizeof point);
        point.sql = l->queue[i].sql;
        run.kind = DBM_OP_EXECUTE;
        run.sql = l->queue[i].sql;
        run.sql_size = strlen(run.sql);
        run.prepared = l->queue[i].prepared != NULL ? (dbm_prepared *)l->queue[i].prepared : &point;
        run.affected = run.last_id = -1;
        CHECK(strcmp(run.sql, run.prepared->sql) == 0); /* it is still there */
        if (f->kind >= 0 && f->action == DROP) st = dbm_adapter_fail(c, DBM_E_CANCELLED, "57014", 0, "cancelled");
        else if (f->kind >= 0) st = fault_run(c, l->v, l, f, INT64_MAX);
        if (st == DBM_OK) st = link_statement(c, l->v, l, &run);
        if (run.result != NULL) {
            free(run.result);
            (void)__atomic_sub_fetch(&l->v->results, 1, __ATOMIC_RELAXED);
        }
        if (st != DBM_OK) break;
        if (run.prepared != &point) op->answered++;
        if (run.prepared->writes && run.affected >= 0) op->sent_affected = run.affected;
        if (run.prepared->writes && run.last_id >= 0) op->sent_last_id = run.last_id;
    }
    if (st != DBM_OK) {
        op->of_pipeline = true;
        l->queued = 0;
        l->aborted = l->in_transaction;
    } else {
        l->queued -= count;
        memmove(l->queue, l->queue + count, (size_t)l->queued * sizeof l->queue[0]);
    }
    return st;
}

/* The pipeline whose answers are received. */
TEST_HELPER void batch_put(link_t *l, dbm_op *op) {
    CHECK(l->batched < DBM_PIPELINE_MAX && !l->batch_heard && op->no_wait && op->prepared->data != NULL);
    (void)snprintf(l->batch[l->batched].sql, sizeof l->batch[0].sql, "%s", op->sql);
    l->batch[l->batched].prepared = op->prepared;
    l->batch[l->batched++].fault = l->fault;
    if (l->batched > l->v->batch_most) l->v->batch_most = l->batched;
    op->queued = true;
}
TEST_HELPER bool batch_silent(const link_t *l) { return l->batched != 0 && l->batch[0].fault.kind >= 0 && l->batch[0].fault.action == DROP; }
TEST_HELPER dbm_status batch_next(dbm_connection *c, link_t *l, dbm_op *op) {
    dbm_status st = DBM_OK;
    plan_entry f = l->batch[0].fault;
    dbm_op run = *op;
    char sql[48];
    if (l->batched == 0) return DBM_DONE;
    (void)snprintf(sql, sizeof sql, "%s", l->batch[0].sql);
    run.prepared = l->batch[0].prepared;
    CHECK(op->prepared == run.prepared && strcmp(sql, run.prepared->sql) == 0); /* it is still there */
    if (--l->batched == 0) l->batch_heard = false;
    memmove(l->batch, l->batch + 1, (size_t)l->batched * sizeof l->batch[0]);
    if (l->fault.kind >= 0) st = fault_run(c, l->v, l, &l->fault, INT64_MAX);
    if (st == DBM_OK && f.kind >= 0) st = f.action == DROP ? dbm_adapter_fail(c, DBM_E_CANCELLED, "57014", 0, "cancelled") : fault_run(c, l->v, l, &f, INT64_MAX);
    if (st == DBM_OK && l->aborted) st = dbm_adapter_fail(c, DBM_OK, "25P02", 0, "aborted");
    run.kind = DBM_OP_EXECUTE;
    run.sql = sql;
    run.sql_size = strlen(sql);
    if (st == DBM_OK) st = link_statement(c, l->v, l, &run);
    if (st != DBM_OK) l->aborted = l->in_transaction;
    op->result = run.result;
    op->columns = run.columns;
    op->row = run.row;
    op->affected = run.affected;
    op->last_id = run.last_id;
    return st;
}

/* A cancel hits the one that runs. */
TEST_HELPER dbm_status link_cancelled(dbm_connection *c, link_t *l, dbm_op *op) {
    if (op->kind == DBM_OP_BULK_END) (void)link_do(c, l->v, l, op); /* it ends in either case */
    if (op->kind != DBM_OP_RECEIVE || l->batched == 0) return dbm_adapter_fail(c, DBM_E_CANCELLED, "57014", 0, "cancelled");
    l->batch_heard = true;
    l->batch[0].fault.kind = DBM_OP_EXECUTE;
    l->batch[0].fault.action = DROP;
    return batch_next(c, l, op);
}

/* Rows that are there. */
TEST_HELPER dbm_status on_memory(dbm_connection *c, dbm_op *op) {
    link_t *l = (link_t *)dbm_adapter_data(c);
    return op->kind == DBM_OP_FETCH || op->kind == DBM_OP_FINISH ? link_do(c, l->v, l, op) : DBM_E_UNSUPPORTED;
}

/* Without blocking: a byte to the server, a byte back. The server's half is played here too. */
enum { PHASE_BEGIN, PHASE_TIMER, PHASE_WRITE, PHASE_READ };
TEST_HELPER void on_start(dbm_connection *c, dbm_op *op) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    link_t *l = (link_t *)dbm_adapter_data(c);
    if (op->kind == DBM_OP_CONNECT) {
        CHECK(l == NULL);
        l = link_open(v);
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, l->fd) == 0);
        CHECK(fcntl(l->fd[0], F_SETFL, O_NONBLOCK) == 0);
        dbm_adapter_set_data(c, l);
        int now = __atomic_add_fetch(&v->connecting, 1, __ATOMIC_RELAXED);
        (void)pthread_mutex_lock(&v->lock);
        if (now > v->connecting_most) v->connecting_most = now;
        (void)pthread_mutex_unlock(&v->lock);
        l->step_active = true;
    }
    CHECK(l != NULL);
    link_enter(c, l);
    CHECK(l->queued == 0 || (op->kind != DBM_OP_NATIVE && !(op->kind == DBM_OP_COMMIT && op->no_wait)));
    memset(&l->fault, 0, sizeof l->fault);
    l->fault.kind = -1;
    if (!server_note(v, c->db, (int)op->kind, l->number, op->savepoint, op->sql, op->deadline_us, &l->fault)) l->fault.kind = -1;
    l->phase = PHASE_BEGIN;
    l->asked = false;
    l->due_us = l->fault.kind < 0 || l->fault.action != DELAY ? 0 : server_now(v) + l->fault.delay_us;
    link_leave(c, l);
}
TEST_HELPER dbm_step step_done(dbm_connection *c, link_t *l, dbm_op *op, dbm_status st) {
    if (op->kind == DBM_OP_CONNECT) {
        l->step_active = false;
        (void)__atomic_sub_fetch(&l->v->connecting, 1, __ATOMIC_RELAXED);
        if (st != DBM_OK) {
            link_close(l);
            dbm_adapter_set_data(c, NULL);
            l = NULL;
        }
    }
    op->status = st;
    if (l != NULL) link_leave(c, l);
    return DBM_STEP_DONE;
}
TEST_HELPER dbm_step step_wait(dbm_connection *c, link_t *l, dbm_op *op, dbm_step want) {
    op->fd = want == DBM_STEP_TIMER ? -1 : l->fd[0];
    link_leave(c, l);
    return want;
}
TEST_HELPER dbm_step on_step(dbm_connection *c, dbm_op *op) {
    server *v = (server *)dbm_adapter_db_data(c->db);
    link_t *l = (link_t *)dbm_adapter_data(c);
    char byte = 'q';
    ssize_t n;
    dbm_status st;
    no_lock_is_held(c->db);
    link_enter(c, l);
    if (op->kind == DBM_OP_FINISH && v->finish_answers && l->queued != 0) {
        CHECK(link_do(c, v, l, op) == DBM_OK);
        return step_done(c, l, op, queue_run(c, l, op, l->queued));
    }
    if (op->kind == DBM_OP_SAVEPOINT && v->lazy_points && queue_room(l) > 0) {
        queue_put(l, op);
        op->queued = false;
        return step_done(c, l, op, DBM_OK);
    }
    if (op->kind == DBM_OP_FINISH || op->kind == DBM_OP_UNPREPARE) {
        st = l->phase == PHASE_BEGIN ? link_do(c, v, l, op) : DBM_OK;
        if (op->kind == DBM_OP_UNPREPARE || l->fault.kind < 0 || l->fault.action != DROP) return step_done(c, l, op, st);
    }
    if (op->kind == DBM_OP_PREPARE && (c->db->adapter->flags & DBM_ADAPTER_PIPELINE) && !v->prepare_waits && l->fault.kind < 0) {
        return step_done(c, l, op, link_do(c, v, l, op));
    }
    if (l->phase == PHASE_BEGIN && piped(c, l, op) && queue_room(l) > 0) {
        queue_put(l, op);
        return step_done(c, l, op, DBM_OK);
    }
    if (l->phase == PHASE_BEGIN && op->reply) {
        CHECK((c->db->adapter->flags & DBM_ADAPTER_REPLIES) && op->kind == DBM_OP_EXECUTE);
        if (l->fault.kind >= 0 && l->fault.action == REFUSE) return step_done(c, l, op, DBM_E_UNSUPPORTED);
        batch_put(l, op);
        return step_done(c, l, op, DBM_OK);
    }
    CHECK(l->batched == 0 || op->kind == DBM_OP_RECEIVE || op->kind == DBM_OP_FETCH || c->broken);
    if (op->kind == DBM_OP_RECEIVE && (l->batched == 0 || (l->batch_heard && !batch_silent(l)))) return step_done(c, l, op, batch_next(c, l, op));
    if (op->kind == DBM_OP_BULK_END && c->broken) return step_done(c, l, op, link_do(c, v, l, op));
    if (l->phase == PHASE_BEGIN) {
        if (op->kind == DBM_OP_RECEIVE && !l->batch_heard) v->batches++;
        if (!piped(c, l, op) && l->fault.kind >= 0 && l->fault.action == LOSE) (void)shutdown(l->fd[1], SHUT_RDWR);
        if (!piped(c, l, op) && l->fault.kind >= 0 && (l->fault.action == BLOCK || l->fault.action == FAIL || l->fault.action == REFUSE)) {
            st = fault_run(c, v, l, &l->fault, op->deadline_us);
            if (st != DBM_OK && op->kind == DBM_OP_BULK_END) (void)link_do(c, v, l, op); /* it ends in either case */
            if (st != DBM_OK) return step_done(c, l, op, st);
        }
        l->phase = PHASE_TIMER;
        if (v->timer_first) {
            op->wake_us = server_now(v) + 1000;
            return step_wait(c, l, op, DBM_STEP_TIMER);
        }
    }
    if (l->phase == PHASE_TIMER) {
        l->phase = PHASE_WRITE;
        if (v->write_first) return step_wait(c, l, op, DBM_STEP_WRITE);
    }
    if (l->phase == PHASE_WRITE) {
        n = send(l->fd[0], &byte, 1, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) return step_wait(c, l, op, DBM_STEP_WRITE);
        if (n != 1) return step_done(c, l, op, link_lost(c, l));
        l->phase = PHASE_READ;
    }
    if (!l->asked && !(op->kind == DBM_OP_RECEIVE && v->by_hand) && !(l->fault.kind >= 0 && l->fault.action == DROP) && !queue_silent(l) && !(op->kind == DBM_OP_RECEIVE && batch_silent(l)) && server_now(v) >= l->due_us) {
        (void)!read(l->fd[1], &byte, 1);
        (void)!send(l->fd[1], &byte, 1, MSG_NOSIGNAL);
        l->asked = true;
    }
    n = read(l->fd[0], &byte, 1);
    if (n == 1 && __atomic_exchange_n(&l->cancelled, false, __ATOMIC_RELAXED)) {
        if (l->queued != 0) return step_done(c, l, op, queue_run(c, l, op, l->queued));
        return step_done(c, l, op, link_cancelled(c, l, op));
    }
    if (n == 1 && op->kind == DBM_OP_RECEIVE) {
        l->batch_heard = !v->by_hand;
        return step_done(c, l, op, batch_next(c, l, op));
    }
    if (n == 1) {
        bool more = op->kind != DBM_OP_CONNECT && piped(c, l, op);
        st = op->kind == DBM_OP_CONNECT ? link_welcome(c, v) : queue_run(c, l, op, more ? (l->queued + 1) / 2 : l->queued);
        if (st == DBM_OK && more) queue_put(l, op);
        else if (st == DBM_OK && op->kind != DBM_OP_CONNECT) st = link_do(c, v, l, op);
        return step_done(c, l, op, st);
    }
    if (n == 0 || errno != EAGAIN) return step_done(c, l, op, link_lost(c, l));
    if (__atomic_load_n(&l->cancelled, __ATOMIC_RELAXED)) {
        __atomic_store_n(&l->cancelled, false, __ATOMIC_RELAXED);
        return step_done(c, l, op, link_cancelled(c, l, op));
    }
    op->wake_us = l->due_us > server_now(v) ? l->due_us : INT64_MAX;
    if (v->step_poll) op->wake_us = server_now(v) + 1000;
    return step_wait(c, l, op, DBM_STEP_READ);
}

enum { WITH_TRANSACTIONS = DBM_ADAPTER_TRANSACTIONS | DBM_ADAPTER_SAVEPOINTS };
#define BLOCKING \
    .init = on_init, .close = on_close, .connect = on_connect, .disconnect = on_disconnect, .ping = on_operation, .reset = on_operation, \
    .cancel = on_cancel, .execute = on_operation, .fetch = on_operation, .column = on_column, .column_name = on_column_name, .bulk_row = on_bulk_row
static const dbm_adapter adapter_scripted __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "scripted", .options = "mood,token", .flags = WITH_TRANSACTIONS, BLOCKING
};
static const dbm_adapter adapter_socketed __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "socketed", .flags = WITH_TRANSACTIONS | DBM_ADAPTER_SOCKET, .alive = on_alive, BLOCKING
};
static const dbm_adapter adapter_serial __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "serial", .flags = WITH_TRANSACTIONS | DBM_ADAPTER_ONE_RESULT, BLOCKING
};
static const dbm_adapter adapter_sharing __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "sharing", .flags = DBM_ADAPTER_SHARED, .placeholders = DBM_PH_NATIVE, BLOCKING
};
static const dbm_adapter adapter_stepped __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "stepped", .flags = WITH_TRANSACTIONS | DBM_ADAPTER_SOCKET,
    .init = on_init, .close = on_close, .disconnect = on_disconnect, .alive = on_alive, .cancel = on_cancel, .column = on_column,
    .column_name = on_column_name, .start = on_start, .step = on_step, .bulk_row = on_bulk_row
};
static const dbm_adapter adapter_piped __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "piped", .flags = WITH_TRANSACTIONS | DBM_ADAPTER_SOCKET | DBM_ADAPTER_PIPELINE,
    .init = on_init, .close = on_close, .disconnect = on_disconnect, .alive = on_alive, .cancel = on_cancel, .column = on_column,
    .column_name = on_column_name, .start = on_start, .step = on_step
};
static const dbm_adapter adapter_batched __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "batched", .flags = WITH_TRANSACTIONS | DBM_ADAPTER_SOCKET | DBM_ADAPTER_PIPELINE | DBM_ADAPTER_REPLIES,
    .init = on_init, .close = on_close, .disconnect = on_disconnect, .alive = on_alive, .cancel = on_cancel, .column = on_column,
    .column_name = on_column_name, .start = on_start, .step = on_step, .fetch = on_memory, .execute = on_memory
};
static const dbm_adapter adapter_bare __attribute__((__unused__)) = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "bare", .init = on_init, .close = on_close
};

/* ---- managers and databases ----------------------------------------------------------------------------------------------------- */

static test_log the_log;

/* options may be NULL; its log hook is replaced. */
TEST_HELPER dbm_manager *server_manager(const dbm_options *given) {
    static const dbm_adapter *const all[] = { &adapter_scripted, &adapter_socketed, &adapter_serial, &adapter_sharing, &adapter_stepped, &adapter_piped, &adapter_batched, &adapter_bare };
    dbm_options options;
    dbm_manager *mgr = NULL;
    memset(&options, 0, sizeof options);
    if (given != NULL) options = *given;
    test_log_clear(&the_log);
    options.log = test_log_hook;
    options.log_ud = &the_log;
    options.no_env = true;
    CHECK_STATUS(dbm_manager_create(&mgr, &options), DBM_OK);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) CHECK_STATUS(dbm_register(mgr, all[i]), DBM_OK);
    return mgr;
}
TEST_HELPER dbm_manager *server_manager_virtual(void) {
    dbm_options options;
    memset(&options, 0, sizeof options);
    options.clock = virtual_clock;
    for (int i = 0; i < servers_made; i++) servers[i].clock = virtual_clock;
    return server_manager(&options);
}
TEST_HELPER void server_configure(dbm_manager *mgr, server *v, const char *form, const dbm_config *given) {
    dbm_config config;
    memset(&config, 0, sizeof config);
    if (given != NULL) config = *given;
    if (config.url == NULL) {
        (void)snprintf(v->url, sizeof v->url, "%s://app:s3cr%%65t-pass@db.example/%d", form, v->index);
        config.url = v->url;
    }
    CHECK_STATUS(dbm_add_database(mgr, &config), DBM_OK);
}
TEST_HELPER dbm_database *server_add(dbm_manager *mgr, server *v, const char *form, const dbm_config *given) {
    dbm_database *db;
    server_configure(mgr, v, form, given);
    db = dbm_get(mgr, given != NULL && given->name != NULL ? given->name : "default");
    CHECK(db != NULL);
    return db;
}
TEST_HELPER dbm_stats_info stats_of(dbm_database *db) {
    dbm_stats_info s;
    CHECK_STATUS(dbm_stats(db, &s), DBM_OK);
    return s;
}

/* ---- workers --------------------------------------------------------------------------------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    void (*job)(struct worker *w);
    bool stop, busy;
    /* for the jobs */
    dbm_database *db;
    dbm_session s;
    dbm_session_options options;
    const char *sql;
    dbm_status status;
    dbm_error_info error;
    int number;
    void *ud;
} worker;

TEST_HELPER void *worker_main(void *ud) {
    worker *w = (worker *)ud;
    (void)pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->job == NULL && !w->stop) (void)pthread_cond_wait(&w->changed, &w->lock);
        if (w->job == NULL) break;
        void (*job)(worker *) = w->job;
        w->job = NULL;
        (void)pthread_mutex_unlock(&w->lock);
        job(w);
        (void)pthread_mutex_lock(&w->lock);
        w->busy = false;
        (void)pthread_cond_broadcast(&w->changed);
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}
TEST_HELPER void worker_start(worker *w, dbm_database *db) {
    memset(w, 0, sizeof *w);
    w->db = db;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    CHECK(pthread_create(&w->thread, NULL, worker_main, w) == 0);
}
TEST_HELPER void worker_do(worker *w, void (*job)(worker *)) {
    (void)pthread_mutex_lock(&w->lock);
    CHECK(!w->busy);
    w->busy = true;
    w->job = job;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}
TEST_HELPER bool worker_busy(worker *w) {
    (void)pthread_mutex_lock(&w->lock);
    bool busy = w->busy;
    (void)pthread_mutex_unlock(&w->lock);
    return busy;
}
TEST_HELPER dbm_status worker_wait(worker *w) {
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 20;
    (void)pthread_mutex_lock(&w->lock);
    while (w->busy) if (pthread_cond_timedwait(&w->changed, &w->lock, &t) != 0) check_failed(__FILE__, __LINE__, "a worker ends its job in 20 s");
    (void)pthread_mutex_unlock(&w->lock);
    return w->status;
}
TEST_HELPER dbm_status worker_run(worker *w, void (*job)(worker *)) {
    worker_do(w, job);
    return worker_wait(w);
}
TEST_HELPER void worker_end(worker *w) {
    (void)worker_wait(w);
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
}
/* The same while time passes, `ms` at each look. */
TEST_HELPER dbm_status worker_wait_moving(worker *w, int ms) {
    int64_t began = real_us();
    while (worker_busy(w)) {
        clock_move_ms(ms);
        pause_us(300);
        if (real_us() - began > 30000000) check_failed(__FILE__, __LINE__, "a worker ends its job while time passes");
    }
    return worker_wait(w);
}
TEST_HELPER void job_begin(worker *w) {
    w->status = dbm_session_begin(w->db, &w->options, &w->s);
    if (w->status != DBM_OK) w->error = *dbm_last_error();
}
TEST_HELPER void job_end(worker *w) { w->status = dbm_session_end(&w->s); }
TEST_HELPER void job_exec(worker *w) {
    w->status = dbm_exec(&w->s, w->sql);
    if (w->status != DBM_OK) w->error = *dbm_last_error();
}
TEST_HELPER void job_once(worker *w) {
    job_begin(w);
    (void)dbm_session_end(&w->s);
}

#endif /* DBM_TEST_SCRIPTED_H */
