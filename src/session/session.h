/* Sessions: the unit of work on a slot of a pool.
 * May call: api/, base/, adapter/, pool/, sql/.
 * Must not know: names, files, models; which database it is.
 *
 * A work is a slot with the state of its session behind it. It has levels: the lowest is the session that checked the connection out, each
 * further one a block that joined it as a savepoint. The session value in the caller's frame names slot and gen; only the gen of the
 * top level is good, so a late, double or suspended use is told apart by one comparison.
 *
 *     take --> idle --statement--> in transaction --commit/rollback--> idle --> give
 *                 BEGIN rides here;  sticky failure: nothing more is sent but ROLLBACK
 *
 * Savepoints are numbered by depth and sent late: `points` are wanted, `points_sent` exist on the server. */
#ifndef DBM__SESSION_H
#define DBM__SESSION_H
#include "../pool/pool.h"
#include "../sql/sql.h"

/* CALL: of one call on a database, which stays on its thread. ROWS: the same, but its rows may go to another thread. */
enum { DBM__KIND_BLOCK = 0, DBM__KIND_HAND, DBM__KIND_AUTO, DBM__KIND_CALL, DBM__KIND_ROWS };

typedef struct dbm__level {
    /* At rest all of this block is zero, and the lowest level's is made so again at its end. */
    bool ran, wrote;                     /* since this level's unit began */
    bool committed;                      /* the last unit was, by dbm_commit */
    bool asked;                          /* the last unit ended by dbm_commit or dbm_rollback */
    bool ended;                          /* the end of the block was reached */
    bool undone;                         /* what failed has been rolled back to a savepoint: dbm_clear_error may lift it */
    bool unused[2];
    int point;                           /* the savepoint that this level is, 0: the lowest level */
    int points;                          /* of the work when this level began */
    int failed_at;                       /* `points` when the sticky failure arose */
    dbm_status sticky;

    dbm_status outcome;
    int kind;
    uint32_t gen;
    dbm_status *status;
    const char *site;
    int64_t deadline_us;
    struct dbm__level *outer, *inner;    /* inner: kept for the next one that joins */
    dbm_error_info *error;               /* of sticky, or of outcome; NULL: nothing has failed in this place yet, or there was no memory */
    dbm_session_options options;         /* of DBM_RETRY_OPT, for the next attempt */
} dbm__level;

#define DBM__ARGUMENTS_KEPT ((size_t)16384)

/* The row in hand, and its query. */
struct dbm_row {
    struct dbm__work *work;
    dbm__entry *entry;
    dbm_op op;
    int64_t number;                      /* of the row in hand, from 1 */
    dbm_status (*column)(dbm_connection *c, dbm_op *op, int i, dbm_value *out); /* the adapter's, or what says that it has none */
    int readable;                        /* columns of the row in hand; 0: there is none, or it has none */
    uint32_t gen;                        /* of the level that opened it */
    bool open;                           /* has a result or is at its end; else free */
    bool standing;                       /* a row is in hand */
    bool fresh;                          /* the first row was delivered by EXECUTE and not yet handed out */
    bool ended;                          /* then it has no result */
    bool held;
    bool held_so_far;                    /* what FETCH brings is not */
    bool looping;                        /* DBM_EACH: ends with its block */
    bool owns_session;                   /* of a call on a database: the session ends with it */
    const char *site;
    char *arguments;                     /* copied values and their texts; kept for the next query when it is small */
    size_t arguments_size;
    char *texts;                         /* numbers written out by dbm_row_text, 64 bytes a column */
    int texts_columns;
    void *kept;                          /* copies made for the row in hand: blobs read as text */
    const dbm_value *copied;             /* async/: a row without a result: its values, and behind them the columns' names */
    const void *lent_to;                 /* async/: a row found by a call that was not told of it yet; or the work: it ends with the next call */
};
struct dbm_rows {
    struct dbm_row row;
    struct dbm_rows *next;
    /* Of a DBM_EACH on a database, in the list of its thread, so that a way out of the loop which the compiler does not see can end it. */
    struct dbm_rows *outer_loop;
    struct dbm__work *within;            /* the block around it, */
    uint32_t within_gen;                 /* and its level */
    uint32_t loop;                       /* its number on the thread */
};

struct dbm_statement {
    struct dbm_statement *next;
    struct dbm__work *work;
    uint32_t gen;                        /* of the work's lowest level; 0: free */
    uint32_t ended_in;                   /* the gen that it had */
    dbm__entry *entry;                   /* NULL after a reconnect: found again by text */
    char *sql;                           /* the text, from a reconnect on; before that the entry has it */
    const char *site;
};

/* A statement in the pipeline that was not answered yet. */
typedef struct dbm__sent {
    dbm__entry *entry;
    const char *site;
    dbm__level *level;                   /* that sent it; a level's end waits for what it sent */
    int points;                          /* savepoints that stood before it */
} dbm__sent;

/* Rows on their way; see bulk.c. */
struct dbm_bulk {
    struct dbm__work *work;
    dbm_bulk_plan plan;
    dbm_op op;                           /* BULK's, or EXECUTE of `entry` */
    dbm__entry *entry;                   /* the INSERT, where it is prepared */
    uint32_t gen;                        /* of the level that opened it */
    int point;                           /* the savepoint that undoes it; 0: it began the transaction; -1: nothing undoes it */
    bool own_point;                      /* that savepoint is the bulk's */
    bool own_way;                        /* the adapter has taken BULK and not ended it yet */
    bool wrapped;                        /* the session is in autocommit, and has a transaction for this bulk */
    bool sent;                           /* rows may be with the server */
    bool owns_session;                   /* of a call on a database */
    bool stepped;                        /* nothing may wait now: what comes next is noted, for who drives it */
    bool full, fails, fresh;             /* namely: BULK_SEND; it is to be undone, and then dbm__bulk_failure() told that it is the session's first one */
    int64_t affected, refused;
    const char *site;
    void (*failed)(void *ud, int64_t row, const dbm_error_info *error);
    void *failed_ud;
    char *names;                         /* table, columns and INSERT; kept for the next bulk */
    size_t names_size;
    const char *columns[DBM__MAX_VALUES];
    dbm_error_info error;                /* why it failed; DBM_OK: it did not, or has ended */
};

/* What async/ keeps beside a work from its first session on. */
typedef struct dbm__side {
    void (*free)(struct dbm__work *w);
    void (*cancelled)(struct dbm__work *w); /* by dbm_cancel, from any thread: its loop looks what it waits for */
    bool busy;                           /* something is under way, and `trouble` says so: calls that wait are refused */
    bool apart;                          /* each of its calls stands alone: no failure sticks */
    dbm__word waits;                     /* the loop drives an operation: then it alone tells the server of a cancel, for what is told twice may hit what comes next */
    dbm__word runner;                    /* but those of this thread, which is it */
    uint32_t gen;                        /* of the session that it serves, or served last */
    unsigned queries;                    /* that rows were made for */
} dbm__side;

typedef struct dbm__work {
    dbm__slot slot;                      /* first: a slot of this pool is a work */
    dbm_database *db;
    dbm__level *top;
    uint32_t gen;                        /* of top; read by values that came too late, so by atomics */
    uint32_t serial;
    dbm_status (*lane)(dbm_connection *c, dbm_op *op); /* what executes on the short way; NULL: there is none, for there is a deadline, or echo */
    dbm__word trouble;                   /* not 0: a failure sticks, or cancelled, or a bulk is open: look before sending */
#define DBM__BULK_OPEN 2u                /* `trouble` when that is all */
#define DBM__SIDE_BUSY 4u
    /* At rest these are as the database's configuration says; a session that changed one sets `unusual`, and its end sets them right. */
    bool unusual;
    bool autocommit, read_only, write, no_transaction;
    bool timed;                          /* a deadline of any kind is set */
    bool restarts;                       /* DBM_ADAPTER_RESTARTS */
    bool echo;
    bool in_transaction, gate_held;
    bool wrote;                          /* in this transaction */
    bool joinable;
    dbm_isolation isolation;
    int points, points_sent;
    int open_rows;
    int64_t affected, last_id;
    dbm__word cancelled;
    dbm__word cancellers;                /* dbm_cancel calls in flight; the end of the session waits for them */
    dbm__word committing;                /* a COMMIT or a reconnect is under way: not to be interrupted */
    dbm__sent *sent;                     /* a ring of DBM_PIPELINE_MAX, made at the first dbm_send and kept */
    int sent_first, sent_count;
    int commands;                        /* sent, and not received yet */
    dbm_rows *rows;                      /* open ones */
    /* Ended ones, taken again in the order they ended, in a later session, or when DBM__SPARE are there: a handle that is used after its
     * end then still stands for nothing. */
#define DBM__SPARE 4
    dbm_rows *free_rows;                 /* those that loops have ended, which nobody can use any more: taken first */
    dbm_rows *spare_rows, *last_spare_rows;
    dbm_statement *statements, *spare_statements, *last_spare_statement;
    int spare_rows_count, spare_statements_count;
    dbm_bulk *bulk;                      /* the open one */
    dbm_bulk *bulks[DBM__SPARE];         /* they take turns */
    unsigned bulk_next;
    struct dbm__work *outer_open;        /* the block of this thread that was open before this one */
    dbm__thread *begun_by;               /* of a session by hand: the thread, */
    uint32_t loops_before;               /* and how many loops it had made */
    dbm__level base;
    dbm_rows one;                        /* of dbm_query_one */
    char *lifted;                        /* a statement and arguments that may be texts of that row, which this statement ends; kept while it is small */
    size_t lifted_size;
    unsigned lifted_hint;                /* not 0: where the cache looks first for that statement, and 1 */
    uint64_t command;                    /* the letters of a command's name, the last that data/ saw, */
    bool command_writes;                 /* and whether it writes */
    dbm__side *side;                     /* NULL: none yet */
} dbm__work;

/* ---- unit.c: begin, commit, roll back, stick ---- */
DBM__FN bool dbm__level_stick(dbm__work *w, dbm__level *level, const dbm_error_info *e, int points); /* the first failure of a unit stays */
DBM__FN void dbm__level_note(dbm__work *w, dbm__level *level, const dbm_error_info *e); /* why it failed */
DBM__FN dbm_status dbm__level_again(const dbm__level *level);           /* that is this thread's last failure again */
DBM__FN dbm_status dbm__work_fail(dbm__work *w, const char *site);      /* makes the thread's last failure stick; returns its status */
DBM__FN dbm_status dbm__work_trouble(dbm__work *w, const char *site);   /* the sticky failure again, or E_CANCELLED */
DBM__FN bool dbm__work_busy(dbm__work *w, const char *site);            /* true, and MISUSE: something asynchronous is under way */
DBM__FN void dbm__work_look_again(dbm__work *w);                        /* after a failure was lifted */
DBM__FN dbm_status dbm__work_start(dbm__work *w, bool writes, const char *site); /* BEGIN and savepoints that are due */
DBM__FN dbm_status dbm__work_commit(dbm__work *w);
DBM__FN dbm_status dbm__work_late(dbm__work *w);                        /* the deadline has passed before the COMMIT, */
DBM__FN dbm_status dbm__work_uncommitted(dbm__work *w, const dbm_op *op, dbm_status st); /* or that failed: sticks, and what is left must be rolled back */
DBM__FN dbm_status dbm__work_rollback(dbm__work *w, bool quiet);
DBM__FN dbm_status dbm__work_undo(dbm__work *w);                        /* the same without an end to rows that were put aside */
DBM__FN int64_t dbm__work_grace(dbm__work *w);                          /* the deadline of what must be done however late it is: a second more than is left */
DBM__FN dbm_status dbm__work_point_release(dbm__work *w, int point);
DBM__FN dbm_status dbm__work_point_rollback(dbm__work *w, int point);
DBM__FN int64_t dbm__work_deadline(dbm__work *w);                       /* of the next operation */
DBM__FN void dbm__work_gate_leave(dbm__work *w);
DBM__FN void dbm__work_shield(dbm__work *w);                            /* no cancel reaches the adapter until w->committing is 0 again */
DBM__FN dbm_status dbm__connection_made(dbm_connection *c, int64_t deadline_us);
DBM__FN void dbm__connection_gone(dbm_connection *c);
DBM__FN void dbm__connection_forked(dbm_connection *c);
DBM__FN void dbm__works_free(dbm_database *db);
DBM__FN void dbm__works_init(dbm_database *db);
DBM__FN void dbm__work_restore(dbm__work *w);                           /* to what a work is at rest */

/* ---- block.c: sessions begin and end ---- */
DBM__FN dbm_status dbm__session_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, int kind, const char *site,
                                     dbm_session *out);
DBM__FN dbm_status dbm__session_close(dbm_session *s);
DBM__FN dbm_session dbm__block_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site);
DBM__FN dbm_session dbm__retry_begin_on(dbm_database *db, const dbm_session_options *options, int attempts, const char *site);
/* Notes the outcome of a session that could not begin. */
DBM__FN dbm_status dbm__session_refused(dbm_session *out, dbm_status *status, dbm_status st, int kind);
DBM__FN dbm__work *dbm__open_block(dbm_database *db);                   /* of this thread and database, or NULL */
/* A session by hand whose connection is taken, and given back, by somebody else: what is refused before that, and then its begin and its end. The end
 * rolls back, if that was not done yet; why it failed says dbm__level_again(&w->base). */
DBM__FN dbm_status dbm__session_allowed(dbm_database *db, const dbm_session_options *options, const char *site);
DBM__FN dbm__work *dbm__session_taken(dbm__slot *slot, const dbm_session_options *options, int kind, int64_t deadline_us, const char *site, dbm_session *out);
DBM__FN dbm_status dbm__session_leave(dbm__work *w);
/* The lowest level as the end of a block ends it: committed, or failed; the session's own end comes then. */
DBM__FN void dbm__session_finish(dbm__work *w, bool heard); /* heard: a cancel was looked for, before a COMMIT that is done */
DBM__FN dbm_status dbm__transaction_begin(dbm__work *w, const char *site); /* of .transaction = 1, at once */
DBM__FN dbm_status dbm__end_allowed(dbm__work *w, const char *call);     /* what commit and rollback refuse alike */
DBM__FN dbm_status dbm__level_commit(dbm__work *w, dbm__level *level);
DBM__FN dbm_status dbm__level_undone(dbm__work *w, dbm__level *level, dbm_status st); /* after the rollback that was asked for */
/* Why a session value is not good: its own status, stale, suspended, forked. Sets the last failure. */
DBM__FN dbm_status dbm__session_bad(dbm_session *s, const char *site);
DBM__INLINE dbm__work *dbm__work_of(dbm_session *s) {
    dbm__work *w = (dbm__work *)s->slot;
    dbm__fork_look();
    if (DBM__UNLIKELY(w == NULL || s->gen != dbm__load32(&w->gen) || dbm__load(&w->slot.pool->fork) != dbm__fork_epoch())) return NULL;
    return w;
}

/* ---- statement.c: one call from its target to its end ---- */
typedef struct dbm__call {
    dbm__work *work;
    dbm_session own;                     /* of a call on a database outside of a block */
    bool owns;
} dbm__call;
DBM__FN dbm_status dbm__call_begin(dbm__call *call, dbm_session *on, int kind, const char *site); /* kind: DBM__KIND_CALL or _ROWS */
DBM__FN dbm_status dbm__call_end(dbm__call *call, dbm_status st);
DBM__FN void dbm__echo(dbm__work *w, const char *text, const dbm_value *values, int count, const char *site);
/* The connection died under the first statement of a transaction, or a read in autocommit: nothing can have been done, so another connection
 * takes its place once. */
DBM__FN bool dbm__may_replace(dbm__work *w, dbm_status rc, bool was_clean, bool writes);
DBM__FN dbm_status dbm__statement_failed(dbm__work *w, const char *sql, const char *site);
DBM__FN void dbm__statement_shown(dbm__work *w, const char *sql);       /* its text put behind what the adapter said */
/* The values of a call: variadic ones by their codes, or (`codes` NULL) an array; read into `out`, for their sizes are filled in. A failure sticks. */
typedef struct dbm__given { const char *codes; va_list *ap; const dbm_value *values; int count; } dbm__given;
DBM__INLINE dbm__given dbm__given_list(const char *codes, va_list *ap) { dbm__given g; g.codes = codes; g.ap = ap; g.values = NULL; g.count = 0; return g; }
/* The body of a function that passes on the values behind `codes`, as `given`. */
#define DBM__PASS_ON(call) { \
        va_list ap; \
        dbm__given given; \
        dbm_status result; \
        va_start(ap, codes); \
        given = dbm__given_list(codes, &ap); \
        result = call; \
        va_end(ap); \
        return result; \
    }
DBM__INLINE dbm__given dbm__given_array(const dbm_value *values, int count) { dbm__given g; g.codes = NULL; g.ap = NULL; g.values = values; g.count = count; return g; }
DBM__FN dbm_status dbm__given_read(dbm__work *w, const dbm__given *given, dbm_value *out, int *count, bool *named, const char *site);
/* The row of dbm_query_one() ends, for another statement begins; its text (*sql, or NULL) and those among its arguments may be the row's, so they
 * are put aside. */
DBM__FN dbm_status dbm__one_end(dbm__work *w, const char **sql, const dbm_value **values, int count, const char *site);
DBM__FN void dbm__statements_end(dbm__work *w);                         /* all handles, with their session */
/* Parts of a statement's way, for who can't wait in between. */
DBM__FN dbm_status dbm__refuse(dbm__work *w, const dbm__entry *entry, const char *site);
DBM__FN dbm_status dbm__values_wrong(dbm__work *w, const dbm__entry *entry, int count, const char *site); /* not as many as there are placeholders */
DBM__FN size_t dbm__values_room(const dbm_value *values, int count);
DBM__FN const dbm_value *dbm__values_put(const dbm_value *values, int count, char *block);
DBM__FN dbm_status dbm__keep_values(dbm__work *w, dbm_rows *rows, const dbm_value *values, int count, const dbm_value **out);
DBM__FN dbm_status dbm__work_ended(dbm__work *w, const char *site);
DBM__FN dbm_status dbm__run_over(dbm__work *w, dbm__entry *entry, dbm_status rc, const char *sql, const char *site);
DBM__FN dbm_status dbm__exec_over(dbm__work *w, dbm__entry *entry, const dbm_op *op, dbm_status rc, const char *site);
DBM__FN dbm_status dbm__command_over(dbm__work *w, const dbm_op *op, dbm_status rc, bool changes, const char *site);
/* What a statement that writes has done. */
DBM__INLINE void dbm__work_wrote(dbm__work *w, const dbm__entry *entry, const dbm_op *op) {
    /* One that matched nothing has nothing to lose, nor has one that committed by itself. */
    if (DBM__LIKELY(!(op->affected == 0 && entry->verb == DBM__VERB_WRITE) && !op->ended)) w->wrote = w->top->wrote = true;
    if (op->affected >= 0) w->affected = op->affected;
    if (op->last_id != -1) w->last_id = op->last_id;
    if (DBM__UNLIKELY(w->no_transaction && (op->result == NULL || op->settled))) dbm__work_gate_leave(w);
}
DBM__FN dbm_status dbm__statement_ready(dbm_statement *st, const char *site);
/* What changes data by itself, and whose answer was lost: it may be done or not. The thread's last failure says so then. */
DBM__FN void dbm__work_doubt(dbm__work *w, dbm_status rc);
DBM__FN dbm_status dbm__work_renew(dbm__work *w);                       /* another connection in the place of one that broke */
DBM__FN void dbm__work_renewing(dbm__work *w);                          /* what comes before that; w->committing is 1 then */
/* A command of the backend's own, on a session or a database: `values` are its arguments, any number, values[0] the text that names it. *out
 * holds its rows (none: it is at its end) until dbm_rows_end(). For data/. */
DBM__FN dbm_status dbm__command(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes, dbm_rows **out);
/* The same for its first row alone, in the place of the row of dbm_query_one(): on a session it lives until the next statement, on a database
 * until dbm_row_end(). DBM_OK with NULL in *out: it has none. */
DBM__FN dbm_status dbm__command_one(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes, dbm_row **out);
/* A command that is put in the pipeline of a session. With values NULL and count 0, the two above give the reply to the oldest one that was not given
 * yet; DBM_DONE: there is none. */
DBM__FN dbm_status dbm__command_send(dbm_session *on, const char *site, const dbm_value *values, int count, bool writes);
/* The same the short way, on a session that is good: of dbm__command_send(), and of dbm__command_one() for a reply, where it is there already. False: nothing
 * was done, so they must do it. *out is NULL as it comes in. */
DBM__FN bool dbm__command_sent(dbm__work *w, const char *site, const dbm_value *values, int count, bool writes, dbm_status *st);
DBM__FN bool dbm__command_received(dbm__work *w, const char *site, dbm_row **out, dbm_status *st);
/* A statement whose rows nobody wants; `send`: it need not be waited for. */
DBM__FN dbm_status dbm__work_exec(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, bool send, const char *site);

/* ---- pipeline.c: statements that are sent without waiting ---- */
DBM__FN dbm_status dbm__sent_room(dbm__work *w, const char *site);      /* makes the ring; its failure sticks */
DBM__FN dbm_status dbm__sent_put(dbm__work *w, dbm__entry *entry, const char *site); /* takes the use of the entry */
DBM__FN void dbm__sent_drop(dbm__work *w);                              /* all, without waiting */
DBM__FN dbm_status dbm__connection_answered(dbm_connection *c, dbm_op *op, dbm_status st);
/* Waits for all that was sent. A failure sticks where it belongs, as that statement's. */
DBM__FN dbm_status dbm__work_wait(dbm__work *w);
DBM__INLINE dbm_status dbm__work_settle(dbm__work *w) { return DBM__LIKELY(w->sent_count == 0) ? DBM_OK : dbm__work_wait(w); }

/* ---- cursor.c: queries and rows ---- */
DBM__INLINE void dbm__row_stand(dbm_row *row) {
    row->number++;
    row->readable = row->op.columns;
    row->standing = true;
}
DBM__INLINE void dbm__row_leave(dbm_row *row) {
    row->readable = 0;
    row->standing = false;
}
DBM__FN void dbm__rows_init(dbm__work *w, dbm_rows *rows);             /* once, of those that are zero */
DBM__FN dbm_status dbm__work_query(dbm__work *w, const char *sql, dbm_statement *st, dbm_value *values, int count, bool named, bool one,
                                   const char *site, dbm_rows **out);
DBM__FN dbm_rows *dbm__rows_new(dbm__work *w);                          /* NULL: no memory */
DBM__FN void dbm__rows_reset(dbm__work *w, dbm_rows *rows, const char *site);
DBM__FN void dbm__rows_opened(dbm__work *w, dbm_rows *rows);
DBM__FN void dbm__rows_spare(dbm__work *w, dbm_rows *rows);
DBM__FN dbm_row *dbm__row_copy(dbm_row *row, const char *site); /* one of its own, to be closed by dbm__rows_close(), that needs no result; the row itself where that can't be */
DBM__FN void dbm__rows_close(dbm_rows *rows);
DBM__FN bool dbm__rows_at_hand(dbm_rows *rows, dbm_status *st);         /* the next row, or the end, is known without the adapter */
DBM__FN dbm_status dbm__rows_fetched(dbm_rows *rows, dbm_status st);    /* what FETCH said; a failure is the thread's last */
DBM__FN dbm_status dbm__row_holding(dbm__work *w, dbm_row *row, const char *site); /* before HOLD: DBM_DONE where it is not needed; */
DBM__FN dbm_status dbm__row_held(dbm__work *w, dbm_row *row, dbm_status st, const char *site); /* after it */
DBM__FN dbm__cursor dbm__cursor_of(dbm_rows *rows);                    /* for a loop; NULL: it does not run */
DBM__FN void dbm__rows_close_all(dbm__work *w);
DBM__FN void dbm__loops_end(dbm__thread *self, uint32_t after);         /* those of the innermost block, down to loop number `after` */
DBM__FN dbm_status dbm__rows_hold(dbm__work *w, const char *site);      /* before a statement that writes, or, with `one_result`, before anything is sent */
/* Resolves the entry, starts what must start, runs EXECUTE; used by exec and query. */
DBM__FN dbm_status dbm__work_run(dbm__work *w, const char *sql, dbm_statement *st, bool named, const char *site, dbm_value *values, int count,
                                 dbm_op *op, dbm__entry **entry, dbm_rows *rows);

/* The short way, see cursor.c and statement.c: for a session that nothing watches. */
#define DBM__LANE_VALUES 8
DBM__INLINE bool dbm__lane_open(const dbm__work *w) {
    return DBM__LIKELY(w->lane != NULL) && DBM__LIKELY(dbm__load(&w->trouble) == 0) && DBM__LIKELY(w->points_sent == w->points);
}

/* EXECUTE on it, in the place of the row of dbm_query_one(). */
DBM__INLINE void dbm__lane_op(dbm__work *w, dbm__entry *e, const dbm_value *values, int count) {
    dbm__op_execute(&w->one.row.op, &e->prepared, values, count, INT64_MAX);
    w->top->ran = true;
    dbm__store(&w->slot.statements, w->slot.statements + 1u);
}

/* ---- bulk.c ---- */
DBM__FN dbm_status dbm__bulk_in_the_way(dbm__work *w, const char *site); /* of anything else on the session */
DBM__FN dbm_status dbm__bulk_forgotten(dbm__work *w);                   /* at the end of a block that has not ended its bulk: fails and sticks */
DBM__FN void dbm__bulk_leave(dbm__work *w, dbm__level *level);          /* w->bulk, if it is this level's, ends with it: undone */
DBM__FN void dbm__bulks_free(dbm__work *w);
/* Parts of a bulk's way, for who can't wait in between. */
DBM__FN dbm_status dbm__bulk_make(dbm__work *w, dbm_bulk **out, const char *table, const char *columns, const dbm_bulk_options *options, const char *site);
DBM__FN void dbm__bulk_starts(dbm_bulk *b);                             /* before BULK */
DBM__FN dbm_status dbm__bulk_inserts(dbm_bulk *b, dbm_status st);       /* after it, with what it said: it has begun; where that is UNSUPPORTED, rows go by the INSERT */
DBM__FN dbm_status dbm__bulk_bad(dbm_bulk *b);                          /* what stands in the way of the next call on it */
DBM__FN dbm_status dbm__bulk_row_failed(dbm_bulk *b, int64_t row, dbm_status st); /* row -1: it is not known which */
DBM__FN dbm_status dbm__bulk_pass(dbm_bulk *b, const dbm_value *values, int count, const char *site); /* a row */
DBM__FN dbm_status dbm__bulk_row_wrong(dbm_bulk *b, int count, bool named, dbm_status st, const char *site);
DBM__FN dbm_status dbm__bulk_pass_columns(dbm_bulk *b, const dbm_column *columns, int count, size_t rows, size_t *at); /* from row *at on */
DBM__FN dbm_op *dbm__bulk_op(dbm_bulk *b, dbm_op_kind kind);
DBM__FN dbm_op *dbm__bulk_dropping(dbm_bulk *b);                        /* NULL: the adapter has nothing to forget */
DBM__FN dbm_op *dbm__bulk_dropped(dbm_bulk *b, dbm_op *op, dbm_status st); /* the one that undoes it, in `op`; NULL: none */
DBM__FN bool dbm__bulk_undone(dbm_bulk *b, dbm_status st);              /* whether nothing of it is left */
DBM__FN dbm_status dbm__bulk_failure(dbm_bulk *b, bool undone);
DBM__FN dbm_status dbm__bulk_ending(dbm_bulk *b);                       /* what stands in the way of that */
DBM__FN bool dbm__bulk_ended(dbm_bulk *b);                              /* whether its transaction is to be committed */
DBM__FN dbm_status dbm__bulk_abandoned(dbm_bulk *b, bool undone, const dbm_error_info *why);
DBM__FN void dbm__bulk_left(dbm_bulk *b);
DBM__FN dbm_status dbm__bulk_close(dbm_bulk *b, dbm_status st);         /* the handle stands for nothing from here on */

DBM__INLINE void dbm__lane_close_one(dbm__work *w) {
    dbm_row *row = &w->one.row;
    dbm__entry *e = row->entry;
    if (DBM__LIKELY(row->op.result != NULL && !w->gate_held && row->kept == NULL)) {
        row->open = false;
        dbm__row_leave(row);
        row->op.kind = DBM_OP_FINISH;
        dbm__op_finish(&w->slot.connection, &row->op);
        w->open_rows--;
        if (e != NULL) dbm__cache_give(&w->slot.connection, e);
        row->entry = NULL;
        return;
    }
    dbm__rows_close(&w->one);
}

/* ---- for data/ ---- */
DBM__FN dbm__cursor dbm__cursor_of(dbm_rows *rows);                     /* for a loop; NULL: it does not run */
DBM__FN dbm_database *dbm__on_database(dbm_session *on);
DBM__FN dbm__host *dbm__on_host(dbm_session *on);
DBM__FN dbm_status dbm__on_fail(dbm_session *on, dbm_status status, const char *site, const char *format, ...);
DBM__FN dbm_status dbm__on_group(dbm_session *on, const char *site, dbm_status (*fn)(dbm_session *s, void *ud), void *ud);
DBM__FN dbm_status dbm__row_fail(dbm_row *row, dbm_status status, int column, const char *format, ...);
DBM__FN dbm_status dbm__row_whole(dbm_row *row, int which, dbm_value *out); /* DBM_COLUMN_DOCUMENT or _NATIVE; its failure sticks */
DBM__FN int dbm__row_find(dbm_row *row, const char *name);
#endif /* DBM__SESSION_H */
