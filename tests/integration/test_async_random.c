/* Random schedules of the asynchronous side, with several databases at once: one that is driven by steps, one that blocks, an SQLite file, and PostgreSQL where a
 * server is there. Tasks with children, chains of callbacks, calls on databases and, in some, threads and a second loop, on pools that are too small for them; servers that
 * fail, tarry, say nothing more or hang up; cancels and deadlines; and at any moment, in a callback or outside, everything is closed or the loop freed.
 * Each task and each call ends exactly once, the numbers of the pools add up after every step, what was said to be committed is there and what was rolled back is
 * not, and nothing stays behind.
 * DBM_TEST_SEED=n DBM_TEST_SCHEDULES=1 runs one again; those without threads run the same each time. (With them DBM_TEST_SCHEDULES alone is of 10,000.) */
/* cc: -DDBM_WITH_POSTGRESQL */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"
#include <signal.h>
#include <sqlite3.h>

enum { STEPS, BLOCKS, FILED, SERVED, DBS };         /* the databases */
enum { ACTORS = 24, CHAINS = 12, CALLS = 400, KEYS = 4000, HELD = 3 };
enum { UNKNOWN, PENDING, PRESENT, ABSENT };          /* what is known of a row of the file */

static struct {
    uint32_t seed;
    dbm_manager *mgr;
    dbm_database *db[DBS];
    server *v[2];
    dbm_loop *loop;
    test_heap heap;
    bool threads;
    bool waits[DBS];                                 /* a bulk goes by calls that wait, which nothing would end where there is no other thread */
    pthread_mutex_t lock;                            /* of what threads look at: */
    bool freed;                                      /* the loop is, or is about to be */
    unsigned char key[KEYS];
    int keys;
} w = { .lock = PTHREAD_MUTEX_INITIALIZER };
static test_dir dir;
static sqlite3 *raw; /* the file, beside the library; it stays, so that the WAL does */
static char served_url[600];

#define HOLDS(x) CHECK(x)
/* Whatever fails, here or in the scripted server, ends the program; this says which schedule it was. */
static void say_seed(int number) {
    (void)number;
    fprintf(stderr, "it was DBM_TEST_SEED=%u DBM_TEST_SCHEDULES=1%s\n", (unsigned)w.seed, w.threads ? " (with threads)" : "");
}
#define IS_OK(call) HOLDS((call) == DBM_OK)

static uint32_t draw(uint32_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random;
}
static unsigned pick(uint32_t *random, unsigned n) { return draw(random) % n; }

/* Each call of the callback form, and each end of a task. */
typedef struct told { int times; bool begun; } told;
static told calls[CALLS];
static int call_count;
static told *call_new(void) { /* NULL: enough */
    int n = __atomic_fetch_add(&call_count, 1, __ATOMIC_RELAXED);
    return n < CALLS ? &calls[n] : NULL;
}
static void tell(told *t) { HOLDS(__atomic_fetch_add(&t->times, 1, __ATOMIC_RELAXED) == 0); }

/* On one thread time passes by looking at it, faster where something waits. */
static void hurry(bool on) {
    if (!w.threads) virtual_step = on ? 10000 : 20;
}
static void close_all(void) {
    hurry(true);
    (void)dbm_close_all(w.mgr);
    hurry(false);
}
static void free_loop(dbm_loop *loop) {
    if (loop != w.loop) return; /* another thread's, which does it itself */
    (void)pthread_mutex_lock(&w.lock);
    bool first = !w.freed;
    w.freed = true;
    (void)pthread_mutex_unlock(&w.lock);
    hurry(true); /* in a callback it is freed at the end of the turn */
    if (first) dbm_loop_free(loop);
}

/* ---- statements ---------------------------------------------------------------------------------------------------------- */

typedef struct text { const char *sql; int count; bool rows; dbm_value values[2]; int key; } text;
static int key_new(void) {
    int n = __atomic_fetch_add(&w.keys, 1, __ATOMIC_RELAXED);
    return n < KEYS ? n : -1;
}
/* A row is entered, and what becomes of it may be followed. */
static void text_insert(text *t, int on) {
    memset(t, 0, sizeof *t);
    t->key = -1;
    t->sql = "write";
    if (on < FILED) return;
    t->sql = on == FILED ? "INSERT INTO unit VALUES (?, ?)" : "INSERT INTO pg_temp.unit VALUES (?, ?)";
    t->key = key_new();
    t->values[0] = dbm_int(t->key);
    t->values[1] = dbm_text("a text that goes with its number");
    t->count = 2;
}
static void text_query(text *t, int on, uint32_t *random) {
    static const char *const scripted[] = { "rows 0 x 1", "rows 1 x 2", "rows 5 x 1 text", "rows 2 x 1 write" };
    memset(t, 0, sizeof *t);
    t->key = -1;
    t->rows = true;
    t->sql = scripted[pick(random, 4)];
    if (on < FILED) return;
    t->sql = on == FILED ? "SELECT n, t FROM unit WHERE n >= ? ORDER BY n LIMIT 5" : "SELECT n, repeat('x', 100) FROM generate_series(?::int, 3) AS n";
    t->values[0] = dbm_int((int)pick(random, 4));
    t->count = 1;
}
static void text_any(text *t, int on, uint32_t *random) {
    static const char *const scripted[] = { "write", "write b", "set x", "fail 23505", "fail 40001", "nonsense" };
    static const char *const real[] = { "SELEKT 1", "SELECT 1 / (SELECT 0)", "SELECT nowhere FROM nothing" };
    unsigned n = pick(random, 12);
    if (n < 4) {
        text_query(t, on, random);
    } else if (n < 9 || on >= FILED) {
        text_insert(t, on);
        if (n < 9) return;
        t->sql = real[pick(random, 3)];
        t->count = 0;
        t->key = -1;
    } else {
        text_insert(t, on);
        t->sql = scripted[pick(random, 6)];
    }
}
static void options_any(dbm_session_options *o, uint32_t *random) {
    memset(o, 0, sizeof *o);
    switch (pick(random, 8)) {
    case 0: case 1: o->autocommit = true; break;
    case 2: o->read_only = true; break;
    case 3: o->write = true; break;
    case 4: o->timeout_ms = 1 + (int)pick(random, 30); break;
    default: break;
    }
}
static int any_db(uint32_t *random) {
    int on = (int)pick(random, DBS);
    return w.db[on] != NULL ? on : (int)pick(random, FILED + 1);
}
static void keys_are(const int *keys, int count, int what) {
    for (int i = 0; i < count; i++) if (keys[i] >= 0) __atomic_store_n(&w.key[keys[i]], (unsigned char)what, __ATOMIC_RELAXED);
}

/* ---- what may happen at any moment, in a callback as well ---- */

static void anything_rash(dbm_loop *loop, uint32_t *random, const dbm_session *s);

/* ---- tasks ------------------------------------------------------------------------------------------------------------------ */

typedef struct actor {
    uint32_t random;
    bool used, cleaned, root;
    int depth, steps, i, n, on;
    told told;
    dbm_status rc;
    dbm_task_handle handle;
    dbm_loop *loop;
    struct { dbm_session s; int on; bool asked; } held[HELD];
    int held_count;
    dbm_session shared;                              /* a copy of one of them, for other threads */
    dbm_rows *rows;
    dbm_row *row;
    dbm_bulk *bulk;
    dbm_act *kept;
    int keys[8], key_count, keys_of;                 /* entered in its session `keys_of`, and awaited */
} actor;
static actor actors[ACTORS];
static int actor_count;
static long ends_of[2];

static dbm_task_status wanders(dbm_task *t);
static void actor_ended(void *ud, dbm_status st, const dbm_error_info *e) {
    actor *x = (actor *)ud;
    tell(&x->told);
    HOLDS(x->cleaned);
    HOLDS((e == NULL ? DBM_OK : e->status) == st);
    (void)__atomic_add_fetch(&ends_of[st != DBM_OK], 1, __ATOMIC_RELAXED);
    if (st == DBM_OK) keys_are(x->keys, x->key_count, PRESENT);
    if (pick(&x->random, 60) == 0) anything_rash(x->loop, &x->random, NULL);
}
static actor *actor_new(dbm_loop *loop, uint32_t *random, int depth) {
    int n = __atomic_fetch_add(&actor_count, 1, __ATOMIC_RELAXED);
    actor *x;
    if (n >= ACTORS) return NULL;
    x = &actors[n];
    x->random = draw(random) | 1u;
    x->depth = depth;
    x->loop = loop;
    x->steps = 1 + (int)pick(&x->random, 7);
    x->keys_of = -1;
    return x;
}
static void actor_spawn(dbm_loop *loop, uint32_t *random) {
    actor *x = actor_new(loop, random, 0);
    int ms = pick(random, 3) == 0 ? 1 + (int)pick(random, 40) : 0;
    dbm_task_handle h;
    if (x == NULL) return;
    h = dbm_spawn_opt(loop, wanders, x, .on_end = actor_ended, .on_end_ud = x, .deadline_ms = ms);
    (void)pthread_mutex_lock(&w.lock);
    x->used = x->told.begun = x->root = h.loop != NULL;
    x->handle = h;
    (void)pthread_mutex_unlock(&w.lock);
}

static dbm_status calls_out(void *ud) {
    (void)ud;
    return DBM_OK;
}
static dbm_act *statement_on(dbm_session *s, actor *x, const text *q) {
    if (q->rows) return dbm_async_query_onev(s, &x->row, q->sql, q->values, q->count);
    return dbm_async_execv(s, q->sql, q->values, q->count);
}
/* The session's calls that end a transaction, and what is then known of its rows no more. */
static dbm_act *unit_over(actor *x, int i) {
    dbm_session *s = &x->held[i].s;
    if (x->keys_of == i) x->key_count = 0;
    switch (pick(&x->random, 4)) {
    case 0: return dbm_async_rollback(s);
    case 1: return dbm_async_end(s);
    default: return dbm_async_commit(s);
    }
}
/* Begins something that can be awaited; NULL is as good. */
static dbm_act *anything(dbm_task *t, actor *x) {
    text q;
    actor *y;
    int i = x->held_count > 0 ? (int)pick(&x->random, (unsigned)x->held_count) : -1, on = any_db(&x->random);
    switch (pick(&x->random, 12)) {
    case 0: case 1:
        if (x->held_count < HELD) {
            dbm_session_options o;
            options_any(&o, &x->random);
            i = x->held_count++;
            x->held[i].on = on;
            return dbm__async_session_on(t, w.db[on], pick(&x->random, 2) ? &o : NULL, &x->held[i].s, "a task");
        }
        break;
    case 2: return dbm_async_sleep(t, (int)pick(&x->random, 4));
    case 3: return dbm_async_yield(t);
    case 4: return w.threads ? dbm_async_call(t, calls_out, NULL) : dbm_async_yield(t);
    case 5:
        x->kept = NULL; /* all that was begun is gone then */
        return dbm_async_all(t);
    case 6:
        y = x->depth < 3 ? actor_new(x->loop, &x->random, x->depth + 1) : NULL;
        if (y == NULL) break;
        dbm_act *act = dbm_async_task(t, wanders, y);
        y->used = act != NULL;
        return act;
    case 7: case 8: /* on a database */
        text_any(&q, on, &x->random);
        if (on == SERVED && !q.rows && q.count > 0) q.sql = "SELECT 7", q.count = 0; /* the table is the session's */
        return q.rows ? dbm_async_query_onev(w.db[on], &x->row, q.sql, q.values, q.count) : dbm_async_execv(w.db[on], q.sql, q.values, q.count);
    case 9: if (i >= 0) return unit_over(x, i);
        break;
    default: break;
    }
    if (i < 0) return dbm_async_yield(t);
    text_any(&q, x->held[i].on, &x->random);
    return statement_on(&x->held[i].s, x, &q);
}
static dbm_act *enters(actor *x) {
    text q;
    int i = x->held_count > 0 ? (int)pick(&x->random, (unsigned)x->held_count) : -1;
    x->n = -1;
    if (i < 0 || x->key_count == 8) return NULL;
    text_insert(&q, x->held[i].on);
    if (x->held[i].on == FILED && (x->keys_of < 0 || x->keys_of == i || x->key_count == 0)) {
        x->n = q.key;
        x->keys_of = i;
    }
    return statement_on(&x->held[i].s, x, &q);
}
static void entered(actor *x) {
    if (x->rc == DBM_OK && x->n >= 0) x->keys[x->key_count++] = x->n;
}
static dbm_act *queries(dbm_task *t, actor *x) {
    text q;
    int i = x->held_count > 0 ? (int)pick(&x->random, (unsigned)x->held_count) : -1, on = i >= 0 ? x->held[i].on : any_db(&x->random);
    (void)t;
    text_query(&q, on, &x->random);
    return i >= 0 ? dbm_async_queryv(&x->held[i].s, &x->rows, q.sql, q.values, q.count) : dbm_async_queryv(w.db[on], &x->rows, q.sql, q.values, q.count);
}
static void rash(dbm_task *t, actor *x) {
    int i = x->held_count > 0 ? (int)pick(&x->random, (unsigned)x->held_count) : -1;
    switch (pick(&x->random, 8)) {
    case 0: (void)dbm_task_deadline(t, (int)pick(&x->random, 20)); break;
    case 1: if (x->kept != NULL) dbm_async_cancel(x->kept);
        x->kept = NULL;
        break;
    case 2:
        if (i < 0) break;
        dbm_session copy = x->held[i].s;
        (void)dbm_cancel(&copy);
        break;
    case 3: anything_rash(x->loop, &x->random, i >= 0 ? &x->held[i].s : NULL); break;
    case 4:
        if (i < 0) break;
        (void)pthread_mutex_lock(&w.lock);
        x->shared = x->held[i].s;
        (void)pthread_mutex_unlock(&w.lock);
        break;
    default: break;
    }
}

static dbm_task_status wanders(dbm_task *t) {
    actor *x = (actor *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    HOLDS(!x->cleaned);
    for (; x->steps > 0; x->steps--) {
        x->i = (int)pick(&x->random, 12);
        if (x->i == 0) rash(t, x);
        if (x->i == 1 && pick(&x->random, 6) == 0) return dbm_task_fail(t, DBM_E_RANGE);
        if (x->i == 2 && pick(&x->random, 6) == 0) return DBM_TASK_DONE;
        if (x->i == 3) x->kept = anything(t, x);
        if (x->i == 4) {
            DBM_TRY_AWAIT(t, &x->rc, queries(t, x));
            if (x->rc == DBM_OK) {
                DBM_AWAIT_ROW(t, x->rows, x->row) {
                    (void)dbm_row_text(x->row, 0);
                    if (pick(&x->random, 4) == 0) break;
                    if (pick(&x->random, 4) == 0) DBM_TRY_AWAIT(t, &x->rc, enters(x));
                }
                if (x->row != NULL) DBM_TRY_AWAIT(t, &x->rc, dbm_async_rows_end(x->rows));
            }
        } else if (x->i == 5 && x->held_count > 0 && !w.waits[x->held[x->held_count - 1].on]) {
            x->n = x->held_count - 1;
            if (x->held[x->n].on == SERVED) DBM_TRY_AWAIT(t, &x->rc, dbm_async_exec(&x->held[x->n].s, "CREATE TEMP TABLE IF NOT EXISTS unit (n INTEGER, t TEXT)"));
            DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_begin_opt(&x->held[x->n].s, &x->bulk, "unit", "n,t", .each_row = pick(&x->random, 4) == 0));
            for (x->i = (int)pick(&x->random, 5); x->rc == DBM_OK && x->i > 0; x->i--) DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_row(x->bulk, key_new(), "in bulk"));
            if (x->rc == DBM_OK && pick(&x->random, 4) != 0) DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_end(x->bulk));
            else if (x->rc == DBM_OK) DBM_TRY_AWAIT(t, &x->rc, dbm_async_bulk_abandon(x->bulk));
        } else if (x->i == 6) {
            DBM_AWAIT(t, anything(t, x));
        } else if (x->i == 7) {
            DBM_TRY_AWAIT_WITHIN(t, (int)pick(&x->random, 20), &x->rc, anything(t, x));
        } else if (x->i < 10) {
            DBM_TRY_AWAIT(t, &x->rc, enters(x));
            entered(x);
        } else {
            DBM_TRY_AWAIT(t, &x->rc, anything(t, x));
        }
    }
    DBM_TASK_FINALLY(t);
    HOLDS(!x->cleaned);
    x->cleaned = true;
    if (pick(&x->random, 4) == 0) {
        x->held_count = HELD; /* its sessions are over */
        DBM_TRY_AWAIT(t, &x->rc, dbm_async_yield(t));
    }
    DBM_TASK_END(t);
}

/* ---- chains of callbacks ---------------------------------------------------------------------------------------------------- */

typedef struct chain {
    uint32_t random;
    dbm_loop *loop;
    dbm_session s;
    dbm_status status;                               /* of the session, as its options ask for it */
    dbm_session_options options;
    int on, left, under_way;
    bool begun, asked, over, transaction;
    dbm_rows *rows;
    dbm_row *row;
    int keys[16], key_count;
    int rows_left;
} chain;
typedef struct link_call { told *t; chain *c; int kind, key; } link_call;
enum { BEGAN, ENTERED, ASKED, QUERIED, ROW, ROWS_OVER, COMMITTED, UNDONE, RUN, BULK, ENDED };
static chain chains[CHAINS];
static link_call links_made[CALLS];
static int chain_count;

static void chain_goes_on(chain *c);
static void chain_told(void *ud, dbm_status st) {
    link_call *l = (link_call *)ud;
    chain *c = l->c;
    tell(l->t);
    HOLDS(st == DBM_OK || st == dbm_last_error()->status);
    c->under_way--;
    switch (l->kind) {
    case BEGAN:
        if (st == DBM_OK) c->begun = true;
        else {
            HOLDS(c->s.slot == NULL && c->status == st);
            c->over = true;
        }
        break;
    case ENTERED: if (st == DBM_OK && l->key >= 0 && c->transaction && c->key_count < 16) c->keys[c->key_count++] = l->key;
        break;
    case ASKED: if (st == DBM_OK) (void)dbm_row_text(c->row, 0);
        break;
    case QUERIED: c->rows_left = st == DBM_OK ? 1 + (int)pick(&c->random, 6) : 0;
        break;
    case ROW: if (st == DBM_OK && c->row != NULL) (void)dbm_row_text(c->row, 0);
        if (st != DBM_OK || c->row == NULL) c->rows_left = 0;
        break;
    case COMMITTED:
        if (st == DBM_OK) keys_are(c->keys, c->key_count, PRESENT);
        c->key_count = 0;
        break;
    case UNDONE:
        if (st == DBM_OK) keys_are(c->keys, c->key_count, ABSENT);
        c->key_count = 0;
        break;
    case ENDED:
        HOLDS(c->s.slot == NULL && c->under_way == 0);
        if (st == DBM_OK || st != DBM_E_IN_DOUBT) keys_are(c->keys, c->key_count, st == DBM_OK ? PRESENT : ABSENT);
        c->key_count = 0;
        c->over = true;
        break;
    default: break;
    }
    if (pick(&c->random, 150) == 0) anything_rash(c->loop, &c->random, c->begun && !c->over ? &c->s : NULL);
    chain_goes_on(c);
}
static link_call *chain_call(chain *c, int kind) {
    told *t = call_new();
    link_call *l;
    if (t == NULL) return NULL;
    l = &links_made[t - calls];
    l->t = t;
    l->c = c;
    l->kind = kind;
    l->key = -1;
    return l;
}
static bool chain_began(link_call *l, dbm_status st) {
    if (st != DBM_OK) return false; /* then nobody is told */
    l->t->begun = true;
    l->c->under_way++;
    return true;
}
static dbm_status chain_runs(dbm_session *s, void *ud) { return dbm_exec(s, (const char *)ud); }
static dbm_status chain_row(void *ud, dbm_value *values) {
    chain *c = ((link_call *)ud)->c;
    unsigned n = pick(&c->random, 8);
    if (n < 3) return DBM_DONE;
    if (n == 3) return dbm__fail(DBM_E_RANGE, DBM_STAGE_NONE, "", "", "the row's own failure");
    values[0] = dbm_int(key_new());
    values[1] = dbm_text("in bulk");
    return DBM_OK;
}
static void chain_end(chain *c) {
    link_call *l;
    if (!c->begun || c->asked || (l = chain_call(c, ENDED)) == NULL) return;
    c->asked = true;
    if (!chain_began(l, dbm_async_end_cb(&c->s, chain_told, l))) c->over = true; /* the loop ends it */
}
static void chain_goes_on(chain *c) {
    static char one_write[] = "write";
    if (c->over || c->asked || !c->begun || c->under_way > 1) return;
    if (c->under_way == 0 && pick(&c->random, 16) == 0) return; /* it rests, until the loop goes or somebody ends it */
    for (int n = 1 + (int)pick(&c->random, 3); n > 0 && c->left > 0 && !c->over; n--) {
        text q;
        link_call *l;
        c->left--;
        if (c->rows_left > 0) { /* they are read on first */
            bool more = --c->rows_left > 0;
            if (c->under_way > 0 || (l = chain_call(c, more ? ROW : ROWS_OVER)) == NULL) return;
            (void)chain_began(l, more ? dbm_async_next_cb(c->rows, &c->row, chain_told, l) : dbm_async_rows_end_cb(c->rows, chain_told, l));
            return;
        }
        switch (pick(&c->random, 9)) {
        case 0:
            if ((l = chain_call(c, COMMITTED)) != NULL) (void)chain_began(l, dbm_async_commit_cb(&c->s, chain_told, l));
            break;
        case 1:
            if ((l = chain_call(c, UNDONE)) != NULL) (void)chain_began(l, dbm_async_rollback_cb(&c->s, chain_told, l));
            break;
        case 2:
            text_query(&q, c->on, &c->random);
            if ((l = chain_call(c, QUERIED)) == NULL || c->under_way > 0) break;
            if (chain_began(l, dbm__async_began(dbm__async_statementv(&c->s, dbm__async_tell_rows(&c->rows, chain_told, l), "a chain", q.sql, q.values, q.count)))) return;
            break;
        case 3:
            if (c->on == FILED || (c->on == STEPS && !w.threads) || (l = chain_call(c, RUN)) == NULL) break; /* nothing would end a wait on this thread */
            (void)chain_began(l, dbm_async_run_cb(&c->s, chain_runs, one_write, chain_told, l));
            break;
        case 4:
            if (c->on == SERVED || w.waits[c->on] || c->under_way > 0 || (l = chain_call(c, BULK)) == NULL) break;
            (void)chain_began(l, dbm_async_bulk_cb(&c->s, "unit", "n,t", NULL, chain_row, chain_told, l));
            break;
        case 5:
            text_any(&q, c->on, &c->random);
            if ((l = chain_call(c, q.rows ? ASKED : RUN)) == NULL) break;
            if (q.rows && c->under_way > 0) break;
            if (q.rows) { /* the row lives until the next call */
                if (chain_began(l, dbm__async_began(dbm__async_statementv(&c->s, dbm__async_tell_row(DBM__ASYNC_ONE, &c->row, chain_told, l), "a chain", q.sql, q.values, q.count)))) return;
                break;
            }
            (void)chain_began(l, dbm__async_began(dbm__async_statementv(&c->s, dbm__async_tell(DBM__ASYNC_EXEC, chain_told, l), "a chain", q.sql, q.values, q.count)));
            break;
        default:
            text_insert(&q, c->on);
            if ((l = chain_call(c, ENTERED)) == NULL) break;
            l->key = c->on == FILED ? q.key : -1;
            (void)chain_began(l, dbm__async_began(dbm__async_statementv(&c->s, dbm__async_tell(DBM__ASYNC_EXEC, chain_told, l), "a chain", q.sql, q.values, q.count)));
            break;
        }
    }
    if (c->left == 0 || (c->under_way == 0 && pick(&c->random, 4) == 0)) chain_end(c);
    else if (c->under_way == 0) chain_goes_on(c);
}
static void chain_begin(dbm_loop *loop, uint32_t *random) {
    int n = __atomic_fetch_add(&chain_count, 1, __ATOMIC_RELAXED);
    chain *c;
    link_call *l;
    if (n >= CHAINS) return;
    c = &chains[n];
    c->random = draw(random) | 1u;
    __atomic_store_n(&c->loop, loop, __ATOMIC_RELAXED);
    c->on = any_db(&c->random);
    c->left = 1 + (int)pick(&c->random, 12);
    options_any(&c->options, &c->random);
    c->transaction = !c->options.autocommit;
    c->options.status = &c->status;
    c->over = true;
    if ((l = chain_call(c, BEGAN)) == NULL) return;
    if (chain_began(l, dbm_async_session_cb(loop, w.db[c->on], &c->options, &c->s, chain_told, l))) c->over = false;
}

/* ---- calls on a database, from anywhere ---- */

static void call_told(void *ud, dbm_status st) {
    HOLDS(st == DBM_OK || st == dbm_last_error()->status);
    tell((told *)ud);
}
static dbm_row *call_rows[CALLS];
static void call_on_database(dbm_loop *loop, uint32_t *random) {
    int on = any_db(random);
    told *t = call_new();
    dbm_shared *shared;
    text q;
    dbm_status st;
    if (t == NULL || (shared = dbm_async_on(loop, w.db[on])) == NULL) return;
    text_any(&q, on, random);
    if (on == SERVED && !q.rows && q.count > 0) q.sql = "SELECT 7", q.count = 0;
    if (q.rows) st = dbm__async_began(dbm__async_statementv(DBM__ASYNC_ON(shared), dbm__async_tell_row(DBM__ASYNC_ONE, &call_rows[t - calls], call_told, t), "anywhere", q.sql, q.values, q.count));
    else st = dbm__async_began(dbm__async_statementv(DBM__ASYNC_ON(shared), dbm__async_tell(DBM__ASYNC_EXEC, call_told, t), "anywhere", q.sql, q.values, q.count));
    t->begun = st == DBM_OK;
}

static void anything_rash(dbm_loop *loop, uint32_t *random, const dbm_session *s) {
    switch (pick(random, 12)) {
    case 0: case 1: {
        int n = __atomic_load_n(&actor_count, __ATOMIC_RELAXED);
        dbm_task_handle h;
        if (n == 0) break;
        (void)pthread_mutex_lock(&w.lock);
        h = actors[pick(random, (unsigned)(n < ACTORS ? n : ACTORS))].handle;
        if (h.loop == w.loop && !w.freed) (void)dbm_task_cancel(h);
        (void)pthread_mutex_unlock(&w.lock);
        break;
    }
    case 2: case 3:
        if (s != NULL) {
            dbm_session copy = *s;
            (void)dbm_cancel(&copy);
        }
        break;
    case 4: if (pick(random, 3) == 0) close_all();
        break;
    case 5: if (pick(random, 3) == 0) free_loop(loop);
        break;
    case 6: if (loop == w.loop) dbm_loop_stop(loop);
        break;
    case 7: (void)dbm_maintain(w.mgr); break;
    case 8: if (loop != NULL) actor_spawn(loop, random);
        break;
    case 9: if (loop != NULL) chain_begin(loop, random);
        break;
    default: if (loop != NULL) call_on_database(loop, random);
        break;
    }
}

/* ---- the servers ---- */

static void plan_something(uint32_t *random) {
    static const int kinds[] = { DBM_OP_CONNECT, DBM_OP_BEGIN, DBM_OP_COMMIT, DBM_OP_ROLLBACK, DBM_OP_EXECUTE, DBM_OP_EXECUTE, DBM_OP_FETCH, DBM_OP_PING, DBM_OP_PREPARE, DBM_OP_BULK_SEND };
    int which = (int)pick(random, 2), kind = kinds[pick(random, sizeof kinds / sizeof kinds[0])];
    server *v = w.v[which];
    long nth = 1 + (long)pick(random, 4);
    if (v->planned > 24) return;
    switch (pick(random, which == BLOCKS || (w.threads && pick(random, 4) != 0) ? 4 : 5)) { /* where the clock is real, silence takes a second */
    case 0: plan_fail(v, kind, nth, kind == DBM_OP_CONNECT ? DBM_E_CONNECT : DBM_E_SQL, "08001"); break;
    case 1: plan_fail(v, kind, nth, kind == DBM_OP_CONNECT ? DBM_E_AUTH : DBM_E_SERIALIZATION, "40001"); break;
    case 2: (void)plan(v, kind, nth, LOSE); break;
    case 3: plan_delay(v, kind, nth, which == STEPS ? 1000 + 1000 * (int64_t)pick(random, 20) : 200); break;
    default: (void)plan(v, kind, nth, DROP); break;
    }
}

/* ---- what holds ---- */

/* `alone`: no other thread is at work. */
static void settled(bool alone) {
    for (int i = 0; i < DBS; i++) {
        dbm_stats_info s;
        int empty = 0, held = 0;
        dbm__pool *pool;
        if (w.db[i] == NULL) continue;
        IS_OK(dbm_stats(w.db[i], &s));
        HOLDS(s.idle >= 0 && s.out >= 0 && s.connecting >= 0 && s.waiting >= 0);
        if (!alone) continue;
        pool = w.db[i]->pool;
        for (int k = 0; k < pool->slot_count; k++) {
            dbm__slot *slot = dbm__pool_slot(pool, k);
            dbm__word state = dbm__load(&slot->state);
            empty += state == DBM__SLOT_EMPTY;
            if (state == DBM__SLOT_IDLE) HOLDS(slot->connection.open && !slot->connection.broken);
            else if (state != DBM__SLOT_EMPTY && slot->connection.open) held++;
        }
        HOLDS(s.idle + s.out + s.connecting + empty == pool->slot_count); /* total = idle + active + connecting */
        HOLDS(s.open <= s.idle + held && s.idle + held <= s.open + s.connecting); /* one that connects may be at its first statements */
        HOLDS(s.connects - s.disconnects == (uint64_t)s.open);
        if (i < 2) HOLDS(s.open <= server_live(w.v[i]) && server_live(w.v[i]) <= s.open + s.connecting + s.out);
    }
    if (!alone) return;
    for (int i = 0; i < DBS; i++) { /* whoever has a session counts */
        int has = 0;
        dbm_stats_info s;
        if (w.db[i] == NULL) continue;
        for (int k = 0; k < CHAINS && k < chain_count; k++) has += chains[k].begun && !chains[k].over && !chains[k].asked && chains[k].on == i;
        IS_OK(dbm_stats(w.db[i], &s));
        if (!w.freed) HOLDS(s.out + s.connecting >= has); /* a connection may be replaced */
    }
}
static long told_of[3], found[2]; /* calls, tasks, ...: that nothing is tested for want of what it is about */
static void all_was_told(void) {
    for (int i = 0; i < CALLS && i < call_count; i++) {
        HOLDS(calls[i].times == (calls[i].begun ? 1 : 0));
        told_of[0] += calls[i].begun;
    }
    for (int i = 0; i < ACTORS && i < actor_count; i++) {
        const actor *x = &actors[i];
        if (!x->used) continue;
        HOLDS(x->cleaned);
        if (x->root) HOLDS(x->told.times == 1);
        told_of[x->root ? 1 : 2]++;
    }
}
/* What the file holds is what was told. */
static void file_holds(void) {
    sqlite3_stmt *st = NULL;
    static unsigned char there[KEYS];
    memset(there, 0, sizeof there);
    HOLDS(sqlite3_prepare_v2(raw, "SELECT n FROM unit", -1, &st, NULL) == SQLITE_OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        int n = sqlite3_column_int(st, 0);
        if (n < 0) continue;
        HOLDS(n < KEYS);
        there[n] = 1;
    }
    (void)sqlite3_finalize(st);
    HOLDS(sqlite3_exec(raw, "DELETE FROM unit", NULL, NULL, NULL) == SQLITE_OK);
    for (int i = 0; i < KEYS && i < w.keys; i++) {
        if (w.key[i] == PRESENT) HOLDS(there[i] == 1);
        if (w.key[i] == ABSENT) HOLDS(there[i] == 0);
        found[0] += w.key[i] == PRESENT;
        found[1] += w.key[i] == ABSENT;
    }
}

static void still_there(void) {
    for (int i = 0; i < ACTORS && i < actor_count; i++) {
        const actor *x = &actors[i];
        if (x->root && x->told.times == 0) fprintf(stderr, "task %d: %d steps left, at %d, %s\n", i, x->steps, x->i, x->cleaned ? "cleaned" : "in its body");
    }
    for (int i = 0; i < CHAINS && i < chain_count; i++) {
        const chain *c = &chains[i];
        if (!c->over) fprintf(stderr, "chain %d on %d: begun %d asked %d left %d under way %d, %d rows\n", i, c->on, c->begun, c->asked, c->left, c->under_way, c->rows_left);
    }
    for (int i = 0; i < CALLS && i < call_count; i++) if (calls[i].begun && calls[i].times == 0) fprintf(stderr, "call %d, of kind %d\n", i, links_made[i].t != NULL ? links_made[i].kind : -1);
}

/* ---- threads ---- */

static int stop;
static void *thread_sessions(void *ud) {
    uint32_t random = *(uint32_t *)ud;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        int on = any_db(&random);
        dbm_session_options o;
        dbm_session s;
        text q;
        options_any(&o, &random);
        if (o.timeout_ms == 0) o.timeout_ms = 200;
        if (dbm_session_begin(w.db[on], &o, &s) != DBM_OK) {
            pause_us(100);
            continue;
        }
        for (unsigned n = pick(&random, 4); n > 0; n--) {
            text_any(&q, on, &random);
            if (q.rows) {
                dbm_row *row = NULL;
                if (dbm_query_onev(&s, &row, q.sql, q.values, q.count) == DBM_OK) (void)dbm_row_text(row, 0);
            } else {
                (void)dbm_execv(&s, q.sql, q.values, q.count);
            }
        }
        if (pick(&random, 4) == 0) (void)dbm_commit(&s);
        (void)dbm_session_end(&s);
        if (pick(&random, 8) == 0) pause_us((long)pick(&random, 500));
    }
    return NULL;
}
/* Cancels tasks and sessions of the first loop, and posts to it. */
static void posted(void *ud) { tell((told *)ud); }
static void *thread_cancels(void *ud) {
    uint32_t random = *(uint32_t *)ud;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        int n = __atomic_load_n(&actor_count, __ATOMIC_RELAXED);
        dbm_session s = { NULL, 0, 0 };
        pause_us((long)pick(&random, 1500));
        (void)pthread_mutex_lock(&w.lock);
        if (n > 0) {
            const actor *x = &actors[pick(&random, (unsigned)(n < ACTORS ? n : ACTORS))];
            if (x->handle.loop == w.loop && !w.freed && pick(&random, 3) == 0) (void)dbm_task_cancel(x->handle);
            s = x->shared;
        }
        if (!w.freed && pick(&random, 2) == 0) {
            told *t = call_new();
            if (t != NULL) t->begun = dbm_loop_post(w.loop, posted, t) == DBM_OK;
        }
        (void)pthread_mutex_unlock(&w.lock);
        if (s.slot != NULL) (void)dbm_cancel(&s);
    }
    return NULL;
}
/* A loop of its own, for tasks and chains on the same databases. */
static void *thread_loop(void *ud) {
    uint32_t random = *(uint32_t *)ud;
    dbm_loop *loop = NULL;
    dbm_loop_options lo;
    memset(&lo, 0, sizeof lo);
    lo.workers = 1;
    IS_OK(dbm_loop_create(&loop, w.mgr, &lo));
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        if (pick(&random, 6) == 0) actor_spawn(loop, &random);
        if (pick(&random, 8) == 0) chain_begin(loop, &random);
        if (pick(&random, 8) == 0) call_on_database(loop, &random);
        (void)dbm_loop_step(loop, 1);
    }
    dbm_loop_free(loop);
    return NULL;
}

/* ---- a schedule ---- */

static void world_open(uint32_t *random) {
    static const dbm_option unsynced = { "synchronous", "off" };
    static const char *const stepped[] = { "stepped", "piped", "batched" }, *const blocking[] = { "scripted", "socketed", "serial" };
    dbm_options options;
    dbm_loop_options lo;
    dbm_config config;
    memset(&options, 0, sizeof options);
    memset(&lo, 0, sizeof lo);
    memset(&w.heap, 0, sizeof w.heap);
    memset(w.db, 0, sizeof w.db);
    options.allocator = test_heap_allocator(&w.heap);
    options.grace_ms = pick(random, 3) == 0 ? -1 : 30;
    if (!w.threads) options.clock = virtual_clock;
    virtual_step = w.threads ? 0 : 20;
    w.mgr = server_manager(&options);
    for (int i = 0; i < 2; i++) {
        server *v = w.v[i] = server_make();
        v->clock = options.clock;
        v->timer_first = pick(random, 4) == 0;
        v->write_first = pick(random, 4) == 0;
        v->step_poll = pick(random, 4) == 0;
        v->prepare_waits = pick(random, 2) == 0;
        v->no_prepare = i == BLOCKS && pick(random, 6) == 0;
        v->bulk_window = (int)pick(random, 4);
    }
    for (int i = 0; i < DBS; i++) {
        memset(&config, 0, sizeof config);
        config.pool.size = 1 + (int)pick(random, 3);
        config.pool.max_overflow = pick(random, 2) == 0 ? -1 : 1;
        config.pool.timeout_ms = 10 + (int)pick(random, 60);
        config.pool.pre_ping = pick(random, 3) == 0 ? DBM_PRE_PING_OFF : DBM_PRE_PING_DEFAULT;
        config.statement_cache = pick(random, 2) == 0 ? 2 : 64;
        config.name = i == STEPS ? "steps" : i == BLOCKS ? "blocks" : i == FILED ? "filed" : "served";
        if (i == FILED) config.url = test_dir_url(&dir, "a.db");
        if (i == FILED) {
            config.options = &unsynced;
            config.option_count = 1;
        }
        if (i == SERVED) {
            if (!w.threads || served_url[0] == 0 || pick(random, 2) == 0) continue;
            config.url = served_url;
        }
        if (i >= FILED) {
            IS_OK(dbm_add_database(w.mgr, &config));
            HOLDS((w.db[i] = dbm_get(w.mgr, config.name)) != NULL);
        } else {
            unsigned form = pick(random, 3);
            w.waits[i] = i == STEPS && !w.threads && (form != 0 || w.v[i]->bulk_window == 0);
            w.db[i] = server_add(w.mgr, w.v[i], i == STEPS ? stepped[form] : blocking[form], &config);
        }
    }
    if (w.threads) lo.workers = 1 + (int)pick(random, 3);
    else lo.workers = -1;
    lo.use_poll = pick(random, 2) == 0;
    IS_OK(dbm_loop_create(&w.loop, w.mgr, &lo));
}

static void schedule(uint32_t seed, bool threads) {
    uint32_t random = seed * 2654435761u | 1u, of_threads[4];
    pthread_t thread[4];
    void *(*const bodies[])(void *) = { thread_sessions, thread_cancels, thread_loop, thread_sessions };
    int turns, thread_count = 0;
    bool run_on, short_of_memory = seed % 8 == 0;
    w.seed = seed;
    w.threads = threads;
    w.freed = false;
    w.keys = 0;
    memset(w.key, 0, sizeof w.key);
    memset(calls, 0, sizeof calls);
    call_count = actor_count = chain_count = 0;
    memset(actors, 0, sizeof actors);
    memset(chains, 0, sizeof chains);
    memset(links_made, 0, sizeof links_made);
    servers_made = 0;
    world_open(&random);
    turns = 15 + (int)pick(&random, 40);
    run_on = pick(&random, 2) == 0;
    __atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
    if (threads) for (int n = 1 + (int)pick(&random, 4); thread_count < n; thread_count++) {
        of_threads[thread_count] = draw(&random) | 1u;
        HOLDS(pthread_create(&thread[thread_count], NULL, bodies[thread_count], &of_threads[thread_count]) == 0);
    }
    for (int i = 0; i < turns && !w.freed; i++) {
        switch (pick(&random, 12)) {
        case 0: case 1: case 2: actor_spawn(w.loop, &random); break;
        case 3: case 4: chain_begin(w.loop, &random); break;
        case 5: call_on_database(w.loop, &random); break;
        case 6:
            plan_something(&random);
            if (short_of_memory && !threads) test_heap_fail(&w.heap, 1 + (long)pick(&random, 60));
            break;
        case 7: if (pick(&random, 4) == 0) server_kill(w.v[pick(&random, 2)], 0);
            break;
        case 8: if (pick(&random, 4) == 0) anything_rash(w.loop, &random, NULL);
            break;
        case 9: if (!threads) clock_move_ms(pick(&random, 20));
            break;
        default: break;
        }
        if (w.freed) break;
        (void)dbm_loop_step(w.loop, threads ? 1 : 0);
        settled(!threads);
    }
    test_heap_fail(&w.heap, 0);
    if (run_on && !w.freed) { /* to its end: whoever waits for what never comes is cancelled */
        int64_t until = real_us() + 60000000;
        dbm_status st;
        plan_clear(w.v[0]);
        plan_clear(w.v[1]);
        (void)pthread_mutex_lock(&w.lock);
        for (int i = 0; i < ACTORS; i++) if (actors[i].handle.loop == w.loop) (void)dbm_task_cancel(actors[i].handle);
        for (int i = 0; i < CHAINS; i++) {
            dbm_session copy;
            if (__atomic_load_n(&chains[i].loop, __ATOMIC_RELAXED) != w.loop || !chains[i].begun || chains[i].over) continue;
            copy = chains[i].s;
            (void)dbm_cancel(&copy);
        }
        (void)pthread_mutex_unlock(&w.lock);
        for (int i = 0; !w.freed && (st = dbm_loop_step(w.loop, threads ? 5 : 0)) == DBM_OK; i++) {
            settled(!threads);
            if (!threads) clock_move_ms(5);
            if (i % 400 == 399) server_kill(w.v[STEPS], 0); /* a call on a database can't be cancelled */
            if (threads ? real_us() >= until : i >= 20000) still_there();
            HOLDS(threads ? real_us() < until : i < 20000);
            for (int k = 0; k < CHAINS && i % 100 == 99; k++) if (__atomic_load_n(&chains[k].loop, __ATOMIC_RELAXED) == w.loop && !chains[k].asked && !chains[k].over && chains[k].under_way == 0) chain_end(&chains[k]);
        }
    }
    free_loop(w.loop);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < thread_count; i++) (void)pthread_join(thread[i], NULL);
    settled(true);
    all_was_told();
    for (int i = 0; i < CHAINS && i < chain_count; i++) if (chains[i].begun && !chains[i].asked) keys_are(chains[i].keys, chains[i].key_count, ABSENT); /* the loop has rolled it back */
    for (int i = 0; i < DBS; i++) {
        dbm_stats_info s;
        if (w.db[i] == NULL) continue;
        s = stats_of(w.db[i]);
        HOLDS(s.out == 0 && s.connecting == 0 && s.waiting == 0 && s.idle == s.open && s.leaks == 0);
    }
    HOLDS(dbm_close_all(w.mgr) == DBM_OK);
    settled(true);
    HOLDS(server_live(w.v[0]) == 0 && server_live(w.v[1]) == 0);
    dbm_manager_free(w.mgr);
    HOLDS(test_heap_live(&w.heap) == 0);
    HOLDS(server_end_all() == 0);
    file_holds();
}

#if defined(__SANITIZE_THREAD__)
/* What a loop tells epoll at the end of its turn may be of a connection that another thread has meanwhile closed: then the kernel says so, and nothing is done. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "race:dbm__epoll_tell\n"; }
#endif
static void schedules(int count, bool threads) {
    const char *given = getenv("DBM_TEST_SEED"), *how_many = getenv("DBM_TEST_SCHEDULES");
    uint32_t seed = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 1;
    if (how_many != NULL) count = given != NULL ? (int)strtol(how_many, NULL, 10) : count * (int)strtol(how_many, NULL, 10) / 10000;
    print_message("seeds %u to %u\n", (unsigned)seed, (unsigned)seed + (unsigned)count - 1);
    memset(told_of, 0, sizeof told_of);
    memset(ends_of, 0, sizeof ends_of);
    memset(found, 0, sizeof found);
    for (int i = 0; i < count; i++) schedule(seed + (uint32_t)i, threads);
    print_message("%ld calls, %ld tasks (%ld well, %ld not), %ld children; %ld rows there as told, %ld not\n", told_of[0], told_of[1], ends_of[0], ends_of[1], told_of[2], found[0], found[1]);
    HOLDS(count < 100 || (told_of[0] > count && ends_of[0] > count / 4 && ends_of[1] > count / 4 && found[0] > count / 10 && found[1] > count / 10));
}
#if defined(__SANITIZE_THREAD__)
enum { ALONE = 100, TOGETHER = 100 };
#elif SANITIZED
enum { ALONE = 2000, TOGETHER = 60 };
#else
enum { ALONE = 9000, TOGETHER = 200 };
#endif
static void on_one_thread(void **state) {
    (void)state;
    schedules(ALONE, false);
}
static void among_threads(void **state) {
    (void)state;
    schedules(TOGETHER, true);
}

static int set_up(void **state) {
    const char *url = getenv("DBM_TEST_POSTGRESQL_URL");
    (void)state;
    (void)signal(SIGABRT, say_seed);
    test_dir_make(&dir);
    if (url != NULL) (void)snprintf(served_url, sizeof served_url, "%s", url);
    else print_message("without PostgreSQL, whose server is not there\n");
    HOLDS(sqlite3_open(test_dir_file(&dir, "a.db"), &raw) == SQLITE_OK);
    HOLDS(sqlite3_exec(raw, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; CREATE TABLE unit (n INTEGER PRIMARY KEY, t TEXT)", NULL, NULL, NULL) == SQLITE_OK);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    (void)sqlite3_close(raw);
    test_dir_remove(&dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(on_one_thread), cmocka_unit_test(among_threads) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
