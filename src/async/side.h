/* The asynchronous side of a session: what act.c (its begin, its end, the order of its calls), flow.c (one call), line.c (who waits for a connection) and share.c
 * (calls on a database) have in common.
 * May call: api/, session/, async.h.
 * Must not know: how anything is done.
 *
 * It is kept beside its work from the first asynchronous session on, and serves one after the other, whichever loop they are of. While calls are in its
 * queue the first one is under way: in flow.c where the adapter has start and step, else as the synchronous call on a worker. */
#ifndef DBM__SIDE_H
#define DBM__SIDE_H
#include "async.h"
#if DBM_HAS_ASYNC

struct dbm__async;
struct dbm__turns;
struct dbm__line;
/* One call, in one block with the text and the values of its statement. */
typedef struct dbm__request {
    dbm_act act;
    struct dbm__request *next;           /* in the queue */
    struct dbm__async *side;
    size_t size;                         /* of the block */
    const char *site;
    const char *sql;
    const dbm_value *values;
    int count;
    dbm__async_kind kind;
    unsigned hint;                       /* dbm__cache_hint() of the caller's text */
    bool named;
    bool arrays;                         /* BULK_ROWS: `values` is one blob, `count` dbm_columns; else one row */
    bool writes;                         /* COMMAND: it does; END: what was done is committed */
    dbm_row *row;                        /* what it found */
    dbm_rows *rows;                      /* the same; NEXT, ROWS_END: of these */
    dbm_row **row_out;
    dbm_rows **rows_out;
    dbm_bulk *bulk, **bulk_out;          /* BULK_BEGIN makes it; its `values` are dbm_bulk_options, table and columns */
    size_t row_count, rows_at;           /* BULK_ROWS */
    dbm_async_fn fn;                     /* the callback form */
    void *ud;
    dbm_async_run_fn run;                /* RUN */
    void *run_ud;
    dbm_error_info *error;               /* FAIL, and BULK_ROWS with such a `status`: why; from a worker: its failure; END: that of the session */
    dbm_status status;
    int want;                            /* what a blocking step said */
    bool patient;                        /* it may wait for its turn on the worker */
    bool turned;                         /* from a worker: it has to wait for its turn */
    bool given;                          /* END: the session is over, and its connection on its way back */
    bool alone;                          /* it is none for a batch */
    bool again;                          /* it was sent once, to a connection that was lost */
    bool listed, reaped;                 /* of a database: it stands in a list, whose end frees it when it was reaped */
    struct dbm__line *line;              /* of a database */
    dbm__entry *entry;                   /* in a batch: its statement; */
    int64_t affected, last_id;           /* what the session `gen` says while it is told */
    uint32_t gen;                        /* not 0: it was sent in a batch, or has a row */
    int64_t began_us;                    /* where turns to write are taken: when it was made */
    struct dbm__turns *turns;
    dbm__worked worked;
} dbm__request;

/* Whose turn it is to write, among the sessions of one loop that run on workers: one that would have to wait for another one of them is run again when it need not,
 * for it must not keep the worker that the other one needs. At most one waits in the gate's own queue, for writers elsewhere. */
typedef struct dbm__turns {
    struct dbm__turns *next;
    dbm__gate *gate;
    int sessions;
    dbm__word held;                      /* one of them has the gate */
    struct dbm__async *patient;          /* the one that waits for it on a worker */
    struct dbm__async *first, **last;    /* the others */
} dbm__turns;
/* Of a loop. told: sessions of the callback form; owned: those of tasks; lines: one for each database that sessions are beginning of. */
typedef struct dbm__sides { struct dbm__async *told, *owned; dbm__turns *turns; struct dbm__line *lines; } dbm__sides;

typedef struct dbm__async {
    dbm__side side;                      /* first */
    dbm__owned owned;
    dbm__work *work;
    dbm_loop *loop;
    dbm_task *task;                      /* NULL: of the callback form */
    struct dbm__async *next, **in;       /* those of its form, of the loop */
    dbm__turns *turns;                   /* where its writers take turns; NULL: nowhere */
    struct dbm__async *next_turn;
    bool turned, late;                   /* it waits for its turn; and for too long */
    bool limited;                        /* the first one has less time than its session, which has `own_limit_us` */
    int64_t own_limit_us;
    dbm__request *first, *last;
    dbm__request *end;                   /* made with the session, so that it can't fail */
    uint32_t open;                       /* gen of the session until its end was asked for; read by values that come too late, when it may be another's, so by atomics */
    dbm__request *ending;                /* that, from when it has left on */
    bool blocks;                         /* its calls run on workers */
    bool on;                             /* the first one is under way */
    bool pipes;                          /* several may be: calls are kept until the end of the turn, */
    bool put_off;                        /* for which `turn` waits */
    bool batches;                        /* a batch is under way: */
    dbm__request *sent, **last_sent;     /* what is not answered yet, */
    dbm__request *undone, **last_undone; /* or goes again, */
    int sent_count;
    size_t sent_size;
    bool unheard;                        /* which is all of it */
    bool stops;                          /* the server was told to stop one of the batch, and may have stopped another one */
    bool renews;                         /* the connection is to be replaced before the first call */
    dbm__job turn;
    dbm_database *db;
    struct dbm__line *line;              /* it is a carrier, */
    struct dbm__async *next_carrier;
    int served;                          /* of so many calls; */
    uint32_t take;                       /* the number of its last taking, as the line counts; */
    int64_t took_us;                     /* when it was */
    bool of_rows;                        /* or was one, and ends with the rows of one call */
    /* flow.c's */
    int64_t gathers_us;                  /* it looks when the line's lead is told something, and then at the latest; 0: by itself */
    bool was_clean, replaced;
    int at, after, fd;
    dbm_status rc, failed;
    dbm__watch watch;
    dbm__running running;
    int (*way)(dbm__slot *slot, dbm_status heard, bool may_block);
    dbm_op own, *op;
    dbm__entry *entry;
    dbm_rows *rows;
    dbm_bulk *bulk;
    dbm_row *holding;
    dbm_error_info reported;             /* what the adapter has said of an operation that is not over yet */
    dbm_error_info kept;                 /* why `failed` */
} dbm__async;

/* One database as one loop uses it: sessions that wait for a connection, by one timer and one job to be woken by for all of them, and calls on it. For the program each
 * of these is a session of its own; here they share carriers: sessions in autocommit, taken from the pool as any other, each of which takes some of the calls that
 * wait, as many as the others, so that what is quick is not behind what is slow for long. Without calls, at the end of a turn, they go back, and before that when others
 * have waited in the pool for long. */
typedef struct dbm__line {
    dbm__taker by;
    struct dbm__line *next;
    dbm_loop *loop;
    size_t users;                        /* 0: it is to be freed */
    dbm__watch watch;
    dbm__job woken;
    dbm__word posted;                    /* `woken` is on its way */
    dbm__async front;                    /* without a work: calls are put there, and wait */
    int waiting;                         /* how many of them */
    uint32_t takes;                      /* how often carriers have taken calls */
    dbm__async *carriers, *lead;         /* lead: of those whose answers come, the one that is watched */
    bool begins, named, ends, looks;     /* one more is being taken, since began_us; dbm_async_on() has given it out; its loop ends; `later` is set: */
    dbm__watch later;                    /* when to look again whether others have given a connection back */
    dbm_session begun;
    int64_t began_us;
} dbm__line;
enum { DBM__SHARE_CALLS = 32, DBM__SHARE_SERVED = 256, DBM__SHARE_LOOK_US = 10000, DBM__TURN_US = 200, DBM__GATHER_US = 1000 }; /* taken at once; carried while others wait in the pool */

/* ---- act.c ---- */
/* Has a slot's connection put through `way`. True: it is over; else the flow goes on when it is. */
DBM__FN bool dbm__side_way(dbm__async *a, dbm__request *r, int (*way)(dbm__slot *slot, dbm_status heard, bool may_block));
DBM__FN void dbm__side_watch(dbm__async *a, int fd, int want, int64_t until_us); /* as dbm__loop_watch() */
DBM__FN void dbm__side_closes(dbm__async *a); /* its connection, soon */
DBM__FN void dbm__side_answered(dbm__async *a, dbm__request *r, dbm_status st); /* one of a batch; a failure is this thread's last */
DBM__FN void dbm__side_back(dbm__async *a, dbm__request *first, dbm__request **last); /* calls go once more, before all that wait */

DBM__FN dbm__request *dbm__request_make(dbm_loop *loop, dbm__async_kind kind, const char *site, const char *sql, const dbm_value *values, int count, bool named);
DBM__FN dbm_act *dbm__async_add(dbm__async *a, dbm__request *r, dbm__async_to to); /* to its queue; NULL: r is */

DBM__FN dbm__request *dbm__request_failed(dbm_loop *loop, const char *site);
DBM__FN void dbm__request_done(dbm__request *r, dbm_status st);
DBM__FN void dbm__async_put_off(dbm__async *a);
DBM__FN void dbm__async_busy(dbm__async *a, bool busy);
DBM__FN void dbm__async_queue(dbm__async *a, dbm__request *r);
DBM__FN void dbm__async_unlink(dbm__async *a);
DBM__FN bool dbm__async_shows(const dbm__async *a);
DBM__FN bool dbm__async_spent(const dbm__async *a);
DBM__FN void dbm__async_go(dbm__async *a);
DBM__FN void dbm__async_end(dbm__async *a, dbm__request *r, dbm_task *task, bool commit, bool told);
DBM__FN void dbm__async_over(dbm__async *a);
DBM__FN void dbm__async_end_all(dbm_loop *loop);
DBM__FN dbm__sides *dbm__sides_of(dbm_loop *loop);
DBM__FN void dbm__async_belongs(dbm__async *a, dbm_task *task);
DBM__FN dbm__async *dbm__async_begin(dbm__work *w, dbm_loop *loop, dbm_task *task, const char *site);

/* ---- line.c ---- */
DBM__FN void dbm__line_left(dbm__line *line);
DBM__FN dbm__line *dbm__line_of(dbm_loop *loop, dbm_database *db, const char *site);
DBM__FN dbm_act *dbm__async_open(dbm_loop *loop, dbm_task *task, dbm_database *db, const dbm_session_options *options, dbm_session *out, dbm_async_fn fn, void *ud, const char *site);

/* ---- share.c ---- */
DBM__FN void dbm__share_untold(dbm__request *r);
DBM__FN bool dbm__share_stop(dbm__request *r);
DBM__FN void dbm__share_left(dbm__async *a);
DBM__FN void dbm__share_go(dbm__line *h);
DBM__FN void dbm__shares_end(dbm_loop *loop);
DBM__FN dbm__async *dbm__share_front(const dbm_session *s, bool told, const char *site);

/* ---- call.c ---- */
DBM__FN dbm__async *dbm__async_of(dbm_session *s, bool of_task, const char *site); /* the side of a session, for a call of a task or of the callback form */

/* ---- bulk.c ---- */
DBM__FN dbm_status dbm__bulk_feed(dbm__request *r); /* passes rows until something is noted in the bulk, or none is left */
DBM__FN bool dbm__bulk_blocks(const dbm__async *a, const dbm__request *r); /* rows that go by the INSERT go on a worker */
DBM__FN dbm_status dbm__bulk_sync(dbm__request *r, dbm_session *s); /* a call of one, on a worker */

/* ---- flow.c ---- */
DBM__FN bool dbm__flow(dbm__async *a);       /* the first call, or what is left of it; true: it has ended with a->rc */
DBM__FN bool dbm__flow_heard(dbm__async *a, dbm_status heard); /* true: the flow goes on */
DBM__FN void dbm__flow_cancel(dbm__async *a); /* w->cancelled has been set; or what is not to be cancelled is to end soon */
DBM__FN bool dbm__batch_may(dbm__async *a);  /* the calls that wait are several, and can go together */
DBM__FN bool dbm__batch(dbm__async *a);      /* they do, or what is left of that; true: none of them is under way any more */
DBM__FN void dbm__batch_stop(dbm__async *a); /* the call whose answer is waited for was cancelled; of calls on a database */
DBM__FN void dbm__lent_end(dbm__work *w);    /* rows whose call was told end */
#endif /* DBM_HAS_ASYNC */
#endif /* DBM__SIDE_H */
