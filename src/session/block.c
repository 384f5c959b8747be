/* How sessions begin and end: blocks, joining, savepoints, retry, cancel, and the report of the outcome.
 * May call: api/, base/, adapter/, pool/, session.h.
 * Must not know: names of databases, statements. */
#include "session.h"

/* ---- values that are not good --------------------------------------------------------------------------------------------- */

/* The level that has this gen, or NULL, and whether a block is open inside it. A value that came too late may meet a slot that another
 * thread has by now. */
static dbm__level *dbm__level_of(dbm__work *w, uint32_t gen, bool *suspended) {
    dbm__level *level = &w->base;
    dbm__lock_take(&w->slot.pool->lock);
    while (level != NULL && dbm__load32(&level->gen) != gen) level = level->inner;
    *suspended = level != NULL && level != w->top;
    dbm__lock_give(&w->slot.pool->lock);
    return level;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_bad(dbm_session *s, const char *site) {
    dbm__work *w;
    dbm__level *level;
    bool suspended;
    if (s == NULL || (s->slot == NULL && s->step == DBM__ON_DATABASE)) return dbm__fail_null(s == NULL ? "a call on a session that is NULL; dbm_session_begin fills one in"
                                                                                             : "a call on a database that is NULL; dbm_get finds one by its name", site);
    if (s->slot == NULL) { /* it failed to begin, or has ended */
        dbm_status st = (dbm_status)s->gen;
        if (s->gen == 0) {
            return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, site, "this session has ended, or was never begun");
        }
        if (dbm__self()->last.status == st) return st;
        return dbm__fail(st, DBM_STAGE_CHECKOUT, NULL, site, "the session did not begin: %s", dbm_status_text(st));
    }
    w = (dbm__work *)s->slot;
    if (dbm__load(&w->slot.pool->fork) != dbm__fork_epoch() || (w->slot.fork_gen != 0 && s->gen <= w->slot.fork_gen)) {
        return dbm__fail(DBM_E_FORKED, DBM_STAGE_NONE, w->db->name, site,
                         "the session was open when the process forked; it belongs to the parent: begin another one here");
    }
    level = dbm__level_of(w, s->gen, &suspended);
    if (suspended) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, site,
                  "the session of %s is used while the block of %s inside it is open: use that one's session, or end it first",
                  level->site, w->top->site);
        dbm__level_stick(w, level, &dbm__self()->last, 0);
        return DBM_E_MISUSE;
    }
    dbm__add(&w->slot.pool->stale_handles, 1);
    dbm__event(w->db->host, DBM_EVENT_STALE_HANDLE, DBM_LOG_INFO, w->db->name, site, DBM_E_MISUSE, 0, "a session was used after its end");
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, site, "this session has ended; nothing was done");
}

/* ---- beginning ------------------------------------------------------------------------------------------------------------- */

DBM__FN dbm__work *dbm__open_block(dbm_database *db) {
    dbm__thread *self = dbm__self();
    dbm__work *w = (dbm__work *)self->open;
    if (DBM__LIKELY(w == NULL)) return NULL;
    dbm__fork_look();
    if (self->fork != dbm__fork_epoch()) { /* what is open there is the parent's */
        self->fork = dbm__fork_epoch();
        self->open = NULL;
        return NULL;
    }
    while (w != NULL && (w->db != db || !w->joinable)) w = w->outer_open;
    return w;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_refused(dbm_session *out, dbm_status *status, dbm_status st, int kind) {
    dbm__thread *self = dbm__self();
    out->slot = NULL;
    out->gen = (uint32_t)st;
    out->step = 0;
    if (status != NULL) *status = st;
    if (kind == DBM__KIND_BLOCK || kind == DBM__KIND_AUTO) {
        self->failed = self->last;
        self->has_failed = true;
    }
    return st;
}

static void dbm__level_init(dbm__level *level, int kind, dbm_status *status, const char *site, int64_t deadline_us) {
    level->kind = kind;
    level->point = level->points = 0;
    level->ran = level->wrote = level->committed = level->asked = level->ended = level->undone = false;
    level->sticky = DBM_OK;
    level->outcome = DBM_ROLLED_BACK;
    level->status = status;
    level->site = site;
    level->deadline_us = deadline_us;
    if (status != NULL) *status = DBM_ROLLED_BACK;
}

/* A block inside another one of the same database on this thread. */
static DBM__NOINLINE dbm_status dbm__session_join(dbm__work *w, const dbm_session_options *options, dbm_status *status, int kind, const char *site,
                                                  dbm_session *out) {
    dbm__level *level;
    int64_t deadline = w->top->deadline_us;
    const char *what = NULL;
    if (options != NULL) {
        if (options->isolation != DBM_ISOLATION_DEFAULT && options->isolation != w->isolation) what = "isolation";
        if (options->read_only && !w->read_only) what = "read_only";
        if (options->write && !w->write && !w->gate_held && w->db->gate != NULL && w->in_transaction) what = "write";
        if (options->autocommit && !w->autocommit) what = "autocommit";
        if (options->transaction && w->no_transaction) what = "transaction";
        if (what == NULL && options->write) w->write = w->unusual = true; /* the transaction, when it begins, begins as one that writes */
    }
    if (what != NULL) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_BEGIN, w->db->name, site,
                  "the block joins the one of %s, whose .%s is another: give the outer block the option, or this one .separate = 1", w->top->site, what);
        return dbm__session_refused(out, status, DBM_E_MISUSE, kind);
    }
    level = w->top->inner;
    if (level == NULL) {
        level = (dbm__level *)dbm__alloc_zero(w->db->host, sizeof *level);
        if (level == NULL) {
            dbm__no_memory(DBM_STAGE_BEGIN, w->db->name, site);
            return dbm__session_refused(out, status, DBM_E_NOMEM, kind);
        }
        level->outer = w->top;
    }
    if (options != NULL && options->timeout_ms > 0) {
        int64_t shorter = dbm__deadline(w->db->host, options->timeout_ms);
        if (shorter < deadline) deadline = shorter;
        w->timed = w->unusual = true;
        w->lane = NULL;
    }
    dbm__level_init(level, kind, status, site, deadline);
    level->points = w->points;
    if (!w->no_transaction) level->point = ++w->points;
    /* The list of levels is walked by dbm_cancel under this lock. */
    dbm__lock_take(&w->slot.pool->lock);
    w->top->inner = level;
    dbm__store32(&level->gen, ++w->serial);
    dbm__store32(&w->gen, w->serial);
    w->top = level;
    dbm__lock_give(&w->slot.pool->lock);
    if (level->outer->sticky != DBM_OK) { /* nothing can run in there: it begins failed */
        level->sticky = level->outer->sticky;
        (void)dbm__level_again(level->outer);
        dbm__level_note(w, level, &dbm__self()->last);
        dbm__store(&w->trouble, 1);
    }
    out->slot = w;
    out->gen = level->gen;
    out->step = 0;
    return DBM_OK;
}

/* What a session's options change on a work at rest. */
static DBM__NOINLINE void dbm__work_options(dbm__work *w, const dbm_session_options *options, int kind, int64_t deadline) {
    const dbm_database *db = w->db;
    w->unusual = true;
    if (options != NULL) {
        w->read_only = options->read_only;
        w->write = options->write;
        if (options->isolation != DBM_ISOLATION_DEFAULT) {
            w->isolation = options->isolation;
            w->autocommit = w->isolation == DBM_AUTOCOMMIT;
        }
        if (options->autocommit) w->autocommit = true;
    }
    if (kind >= DBM__KIND_CALL) w->autocommit = true;
    w->no_transaction = w->autocommit || !(db->transactions || (db->transactions_asked && options != NULL && options->transaction));
    w->base.deadline_us = deadline;
    if (deadline != INT64_MAX) w->timed = true;
    if (w->timed || kind >= DBM__KIND_CALL) w->lane = NULL;
}

/* A work that was just taken becomes a session; it is at rest. */
DBM__INLINE void dbm__work_begin(dbm__work *w, dbm_status *status, int kind, const char *site, dbm_session *out) {
    uint32_t gen = ++w->serial;
    if (DBM__UNLIKELY(gen == 0)) gen = w->serial = 1; /* 0 means that there is none */
    dbm__store32(&w->gen, gen);
    dbm__store32(&w->base.gen, gen);
    dbm__store(&w->slot.gen, gen);
    w->base.outcome = DBM_ROLLED_BACK;
    w->base.kind = kind;
    w->base.status = status;
    w->base.site = site;
    w->affected = -1;
    w->last_id = 0;
    if (status != NULL) *status = DBM_ROLLED_BACK;
    out->slot = w;
    out->gen = gen;
    out->step = 0;
}

DBM__INLINE void dbm__block_push(dbm__thread *self, dbm__work *w) {
    w->joinable = true;
    w->outer_open = (dbm__work *)self->open;
    self->open = w;
}

/* .transaction = 1, or an isolation level, before anything is taken: whether there can be one. */
static DBM__NOINLINE dbm_status dbm__transaction_allowed(const dbm_database *db, const dbm_session_options *options, const char *site) {
    if (!options->transaction) {
        if (db->transactions || options->isolation == DBM_AUTOCOMMIT) return DBM_OK;
        return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_BEGIN, db->name, site, "isolation levels are those of transactions, and a session of a backend of type %q %s",
                         db->adapter->type, db->transactions_asked ? "is none without .transaction = 1" : "is none: leave .isolation out");
    }
    if (options->autocommit || options->isolation == DBM_AUTOCOMMIT || (db->autocommit && options->isolation == DBM_ISOLATION_DEFAULT)) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_BEGIN, db->name, site, "the session is asked to be a transaction and in autocommit: leave one of them out");
    }
    if (db->transactions || db->transactions_asked) return DBM_OK;
    return dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_BEGIN, db->name, site, "the session is asked to be a transaction, and a backend of type %q has none",
                     db->adapter->type);
}

/* The transaction that was asked for begins with the session: a backend that has none here says so before the body runs. A connection found
 * dead is replaced once. */
DBM__FN DBM__NOINLINE dbm_status dbm__transaction_begin(dbm__work *w, const char *site) {
    dbm_status st = dbm__work_start(w, w->write, site);
    if (st != DBM_E_LOST || !w->slot.connection.broken) return st;
    st = dbm__work_renew(w);
    return st == DBM_OK ? dbm__work_start(w, w->write, site) : st;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_allowed(dbm_database *db, const dbm_session_options *options, const char *site) {
    if (db == NULL) return dbm__fail_null("a call on a database that is NULL; dbm_get finds one by its name", site);
    if (db->pool == NULL) return dbm__fail(DBM_E_CLOSED, DBM_STAGE_CHECKOUT, db->name, site, "database %q is not open", db->name);
    return options != NULL && (options->transaction || options->isolation != DBM_ISOLATION_DEFAULT) ? dbm__transaction_allowed(db, options, site) : DBM_OK;
}

DBM__FN dbm__work *dbm__session_taken(dbm__slot *slot, const dbm_session_options *options, int kind, int64_t deadline_us, const char *site, dbm_session *out) {
    dbm__work *w = (dbm__work *)(void *)slot;
    dbm__work_begin(w, options != NULL ? options->status : NULL, kind, site, out);
    if (options != NULL || kind >= DBM__KIND_CALL) dbm__work_options(w, options, kind, deadline_us);
    w->joinable = false;
    w->begun_by = NULL;
    return w;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, int kind, const char *site,
                                                   dbm_session *out) {
    dbm__work *w;
    dbm__slot *slot;
    dbm__thread *self = NULL;
    int64_t deadline = INT64_MAX;
    dbm_status st;
    dbm__fork_look();
    if (options != NULL && options->status != NULL) status = options->status;
    if (kind == DBM__KIND_BLOCK || kind == DBM__KIND_AUTO) {
        self = dbm__self();
        if (self->open == NULL) {
            self->has_failed = false;
            self->fork = dbm__fork_epoch();
        } else if (db != NULL && (options == NULL || !options->separate) && (w = dbm__open_block(db)) != NULL) {
            return dbm__session_join(w, options, status, kind, site, out);
        }
    }
    if ((st = dbm__session_allowed(db, options, site)) != DBM_OK) return dbm__session_refused(out, status, st, kind);
    DBM_ASSERT(db != NULL);
    if (options != NULL && options->timeout_ms > 0) deadline = dbm__deadline(db->host, options->timeout_ms);
    st = dbm__pool_take(db, deadline, self != NULL || kind == DBM__KIND_CALL ? dbm__thread_number() : 0, site, &slot);
    if (DBM__UNLIKELY(st != DBM_OK)) return dbm__session_refused(out, status, st, kind);
    w = (dbm__work *)(void *)slot;
    dbm__work_begin(w, status, kind, site, out);
    if (options != NULL || kind >= DBM__KIND_CALL) dbm__work_options(w, options, kind, deadline);
    if (self != NULL) dbm__block_push(self, w);
    else w->joinable = false;
    if (kind == DBM__KIND_HAND) {
        w->begun_by = dbm__self();
        w->loops_before = w->begun_by->loops_made;
    }
    if (options != NULL && options->transaction && db->transactions_asked && (st = dbm__transaction_begin(w, site)) != DBM_OK) {
        dbm_error_info kept = dbm__self()->last;
        if (kept.site[0] == 0) dbm__copy_cut(kept.site, sizeof kept.site, site);
        w->base.status = NULL;
        dbm__session_close(out);
        dbm__self()->last = kept;
        return dbm__session_refused(out, status, st, kind);
    }
    return DBM_OK;
}

/* ---- ending ---------------------------------------------------------------------------------------------------------------- */

static void dbm__level_outcome(dbm__level *level, dbm_status st) {
    level->outcome = st;
    if (level->status != NULL) *level->status = st;
}

/* Rows that were opened in a level end with it; those of a level below are none of its business. */
static DBM__NOINLINE void dbm__level_rows_close(dbm__work *w, const dbm__level *level) {
    dbm_rows **p = &w->rows;
    if (level == &w->base) dbm__rows_close_all(w);
    else while (*p != NULL) {
        if ((*p)->row.gen == level->gen) dbm__rows_close(*p);
        else p = &(*p)->next;
    }
    if (w->no_transaction && w->open_rows == 0) dbm__work_gate_leave(w);
}

/* What was sent is waited for at the end of the level that sent it; replies to commands belong to the session as a whole. */
DBM__INLINE void dbm__level_settle(dbm__work *w, const dbm__level *level) {
    if (DBM__UNLIKELY(w->sent_count != 0 || (w->commands != 0 && level == &w->base))) (void)dbm__work_wait(w);
}

/* What the end of a block left early, or of a session by hand, does to what was not committed. */
static void dbm__level_abandon(dbm__work *w, dbm__level *level) {
    dbm_status st;
    if (DBM__UNLIKELY(w->bulk != NULL)) dbm__bulk_leave(w, level);
    dbm__level_settle(w, level);
    if (w->no_transaction) { /* nothing is undone */
        dbm__level_rows_close(w, level);
        dbm__level_outcome(level, level->sticky);
        return;
    }
    if (level->sticky != DBM_OK) {
        if (level->point == 0) {
            dbm__work_rollback(w, true);
        } else if (dbm__work_point_rollback(w, level->point) != DBM_OK || (w->slot.connection.broken && w->in_transaction)) {
            (void)dbm__level_again(level); /* it could not be undone, or all is lost: the outer one must not commit */
            level->outer->sticky = level->sticky;
            dbm__level_note(w, level->outer, &dbm__self()->last);
        }
        dbm__level_outcome(level, level->sticky);
        return;
    }
    /* Also when nothing ran in it: a block inside may have begun the transaction, or sent this level's savepoint. */
    st = level->point == 0 ? dbm__work_rollback(w, true) : dbm__work_point_rollback(w, level->point);
    if (st != DBM_OK && level->point != 0) {
        dbm__self()->last.status = st;
        level->outer->sticky = st;
        dbm__level_note(w, level->outer, &dbm__self()->last);
    }
    if (level->wrote) {
        dbm__fail(DBM_E_LEFT_EARLY, DBM_STAGE_COMMIT, w->db->name, level->site,
                  "the session of %s was left before its end, so its writes were rolled back; to keep them, say dbm_commit(s) before return, break or goto",
                  level->site);
        dbm__level_note(w, level, &dbm__self()->last);
        dbm__level_outcome(level, DBM_E_LEFT_EARLY);
        dbm__add(&w->slot.pool->left_early, 1);
        if (level->kind == DBM__KIND_BLOCK) {
            dbm__event(w->db->host, DBM_EVENT_LEFT_EARLY, DBM_LOG_WARNING, w->db->name, level->site, DBM_E_LEFT_EARLY, 0, "%s", dbm__self()->last.message);
        }
    } else if (level->ran && !level->committed) {
        dbm__level_outcome(level, DBM_ROLLED_BACK);
    }
}

static DBM__NOINLINE void dbm__one_close(dbm__work *w) { dbm__lane_close_one(w); }

/* Commits one level, or its savepoint; the outcome is noted. */
DBM__FN dbm_status dbm__level_commit(dbm__work *w, dbm__level *level) {
    dbm_status st;
    if (DBM__UNLIKELY(w->bulk != NULL) && w->bulk->gen == level->gen && level->sticky == DBM_OK) dbm__bulk_forgotten(w);
    /* What ends the level answers for what was sent before it, unless that must be heard of a cancel or a deadline, or rows are ended first. */
    if (w->sent_count == 0 || w->timed || w->open_rows != 0 || (level->point == 0 ? level != &w->base || !w->in_transaction : w->points_sent < level->point)) {
        dbm__level_settle(w, level);
    }
    if (level->sticky != DBM_OK) {
        dbm__level_abandon(w, level);
        dbm__level_outcome(level, level->sticky);
        (void)dbm__level_again(level);
        return level->sticky;
    }
    if (DBM__UNLIKELY(w->open_rows != 0)) {
        if (level == &w->base) {
            if (w->one.row.open) dbm__one_close(w);
            if (w->rows != NULL) dbm__rows_close_all(w);
        } else {
            dbm__level_rows_close(w, level);
        }
    }
    if (level->point == 0) {
        st = level != &w->base ? DBM_OK : DBM__LIKELY(!w->in_transaction && !w->gate_held) ? DBM_OK : dbm__work_commit(w);
    } else {
        st = dbm__work_point_release(w, level->point);
        if (st != DBM_OK) {
            dbm__work_fail(w, level->site);
            dbm__level_abandon(w, level);
            return st;
        }
        if (level->wrote) level->outer->wrote = true;
        if (level->ran) level->outer->ran = true;
    }
    level->ran = level->wrote = false;
    level->committed = st == DBM_OK;
    dbm__level_outcome(level, st);
    return st;
}

/* What a session leaves behind beyond the usual: rows, a cancel in flight, a place deeper in the list of open blocks. */
static DBM__NOINLINE void dbm__work_tidy(dbm__work *w) {
    while (dbm__load_ordered(&w->cancellers) != 0) dbm__sleep_us(50);
    dbm__rows_close_all(w);
    if (w->joinable) {
        dbm__work **p = (dbm__work **)(void *)&dbm__self()->open;
        while (*p != NULL && *p != w) p = &(*p)->outer_open;
        if (*p == w) *p = w->outer_open;
        w->joinable = false;
    }
}

/* The session is over. From the swap on no dbm_cancel finds it. `rows`: some may be open. */
DBM__INLINE void dbm__work_leave(dbm__work *w, dbm__thread *self, bool rows) {
    uint32_t gen = ++w->serial;
    dbm__store32(&w->gen, gen);
    dbm__swap(&w->slot.gen, gen);
    if (DBM__LIKELY(self->open == w)) {
        self->open = w->outer_open;
        w->joinable = false;
    }
    DBM_ASSERT(w->sent_count == 0 && w->commands == 0);
    if (DBM__UNLIKELY(dbm__load_ordered(&w->cancellers) != 0 || (rows && (w->one.row.open || w->rows != NULL)) || w->joinable)) dbm__work_tidy(w);
    if (w->statements != NULL) dbm__statements_end(w);
    w->base.ran = w->base.wrote = w->base.committed = w->base.asked = w->base.ended = w->base.undone = false;
    if (DBM__UNLIKELY(w->unusual || w->points != 0 || dbm__load(&w->trouble) != 0 || dbm__load(&w->cancelled) != 0
                      || w->slot.connection.broken)) dbm__work_restore(w);
}
DBM__INLINE void dbm__work_give(dbm__work *w, dbm__thread *self, bool rows) {
    dbm__work_leave(w, self, rows);
    dbm__pool_give(&w->slot);
}

/* A block that joined ends: the level below is the session again. */
static DBM__NOINLINE dbm_status dbm__level_pop(dbm__work *w, dbm__level *level, dbm_status st) {
    dbm__level_rows_close(w, level);
    w->points = level->points;
    dbm__lock_take(&w->slot.pool->lock);
    w->top = level->outer;
    dbm__store32(&w->gen, w->top->gen);
    dbm__store32(&level->gen, 0);
    dbm__lock_give(&w->slot.pool->lock);
    dbm__work_look_again(w);
    return st;
}

static DBM__NOINLINE void dbm__outcome_failed(dbm__thread *self, const dbm__level *level) {
    if (level->error == NULL) (void)dbm__level_again(level);
    self->failed = level->error != NULL ? *level->error : self->last;
    self->has_failed = true;
}

/* The end of the top level: of the session, or of a block that joined. */
DBM__INLINE dbm_status dbm__level_end(dbm__work *w) {
    dbm__level *level = w->top;
    dbm__thread *self = dbm__self();
    dbm_status st;
    if (DBM__UNLIKELY(!level->ended)) dbm__level_abandon(w, level);
    st = level->outcome;
    if (level->status != NULL) *level->status = st;
    if (level->kind == DBM__KIND_BLOCK || level->kind == DBM__KIND_AUTO) {
        self->has_failed = false;
        if (DBM__UNLIKELY(st != DBM_OK && st != DBM_ROLLED_BACK)) dbm__outcome_failed(self, level);
    }
    if (DBM__UNLIKELY(level != &w->base)) return dbm__level_pop(w, level, st);
    dbm__work_give(w, self, true);
    return st;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_leave(dbm__work *w) {
    dbm__level *level = &w->base;
    dbm_status st;
    if (!level->ended) dbm__level_abandon(w, level);
    st = level->outcome;
    if (level->status != NULL) *level->status = st;
    dbm__work_leave(w, dbm__self(), true);
    return st;
}

static void dbm__session_empty(dbm_session *s) {
    s->slot = NULL;
    s->gen = 0;
}

DBM__FN DBM__NOINLINE dbm_status dbm__session_close(dbm_session *s) {
    dbm__work *w = dbm__work_of(s);
    dbm_status st;
    if (w == NULL) {
        if (s->slot == NULL) return (dbm_status)s->gen;
        st = dbm__session_bad(s, NULL);
        if (st == DBM_E_FORKED) dbm__session_empty(s);
        return st;
    }
    st = dbm__level_end(w);
    dbm__session_empty(s);
    return st;
}

/* ---- the public calls -------------------------------------------------------------------------------------------------------- */

DBM__DEF dbm_status dbm__session_begin(dbm_database *db, const dbm_session_options *options, dbm_session *out, const char *site) {
    if (out == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CHECKOUT, NULL, site, "dbm_session_begin: out is NULL");
    return dbm__session_open(db, options, NULL, DBM__KIND_HAND, site, out);
}

DBM__DEF dbm_status dbm_session_end(dbm_session *s) {
    dbm_status st;
    dbm__work *w;
    if (s == NULL) return dbm__fail_null("dbm_session_end: the session is NULL; dbm_session_begin fills one in", NULL);
    if (s->slot == NULL) return DBM_OK;
    w = dbm__work_of(s);
    if (w != NULL && DBM__UNLIKELY(w->side != NULL) && w->side->gen == w->base.gen) { /* its task, or its loop, goes on with it */
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, w->base.site, "dbm_session_end on a session that dbm_async_session began: await dbm_async_end on it");
    }
    st = dbm__session_close(s);
    return st == DBM_ROLLED_BACK ? DBM_OK : st; /* nothing was written, or rolling back was asked for */
}

DBM__FN dbm_status dbm__end_allowed(dbm__work *w, const char *call) {
    dbm_rows *r;
    if (w->points > (w->top->point != 0 ? w->top->point : 0)) {
        dbm__fail(DBM_E_MISUSE, DBM_STAGE_COMMIT, w->db->name, w->top->site, "%s inside DBM_SAVEPOINT: leave that block first", call);
        return dbm__work_fail(w, NULL);
    }
    for (r = w->rows; r != NULL; r = r->next) {
        if (w->top != &w->base && r->row.gen != w->top->gen) continue; /* of the block outside, which goes on with them */
        if ((!r->row.ended || r->row.looping) && r->row.lent_to == NULL) {
            dbm__fail(DBM_E_MISUSE, DBM_STAGE_COMMIT, w->db->name, w->top->site,
                      "%s while the rows of %s are being read: end the loop, or call dbm_rows_end, first", call, r->row.site);
            return dbm__work_fail(w, NULL);
        }
    }
    return DBM_OK;
}

DBM__DEF dbm_status dbm_commit(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm_status st;
    if (w == NULL) return dbm__session_bad(s, "dbm_commit");
    if (w->top->sticky == DBM_OK && dbm__load(&w->trouble) != 0 && (st = dbm__work_trouble(w, w->top->site)) != DBM_OK) return st;
    if (w->bulk != NULL) dbm__bulk_leave(w, w->top);
    st = dbm__end_allowed(w, "dbm_commit");
    if (st != DBM_OK) return st;
    w->top->asked = true;
    return dbm__level_commit(w, w->top);
}

DBM__DEF dbm_status dbm_rollback(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    dbm__level *level;
    dbm_status st;
    if (w == NULL) return dbm__session_bad(s, "dbm_rollback");
    level = w->top;
    if (DBM__UNLIKELY(w->side != NULL) && dbm__work_busy(w, level->site)) return DBM_E_MISUSE;
    if (w->bulk != NULL) dbm__bulk_leave(w, level);
    st = dbm__end_allowed(w, "dbm_rollback");
    if (st != DBM_OK) return st;
    dbm__level_rows_close(w, level);
    dbm__level_settle(w, level);
    if (level->point != 0 && w->slot.connection.broken && level->sticky != DBM_OK) return dbm__level_again(level); /* the outer one's work is lost too */
    st = level->point != 0 ? dbm__work_point_rollback(w, level->point) : level == &w->base ? dbm__work_rollback(w, true) : DBM_OK;
    /* A connection that died, or is out of step, has taken the transaction with it; what follows needs another one. */
    if (level == &w->base && w->slot.connection.broken) st = dbm__work_renew(w);
    return dbm__level_undone(w, level, st);
}

DBM__FN dbm_status dbm__level_undone(dbm__work *w, dbm__level *level, dbm_status st) {
    level->sticky = DBM_OK;
    level->ran = level->wrote = level->committed = level->undone = false;
    level->asked = true;
    dbm__work_look_again(w);
    dbm__level_outcome(level, w->no_transaction ? DBM_OK : DBM_ROLLED_BACK);
    return st != DBM_OK ? dbm__work_fail(w, level->site) : DBM_OK;
}

DBM__DEF dbm_status dbm_clear_error(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) return dbm__session_bad(s, "dbm_clear_error");
    if (w->top->sticky == DBM_OK) return DBM_OK;
    if (!w->top->undone && !w->no_transaction && w->in_transaction) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, w->top->site,
                         "dbm_clear_error: the transaction still holds half of the work; let the session end, call dbm_rollback(s), or put the part that may "
                         "fail into DBM_SAVEPOINT");
    }
    if (w->slot.connection.broken) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_STATEMENT, w->db->name, w->top->site, "dbm_clear_error: the connection is lost; end the session");
    }
    w->top->sticky = DBM_OK;
    w->top->undone = false;
    dbm__work_look_again(w);
    return DBM_OK;
}

DBM__DEF dbm_status dbm_status_of(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) return dbm__session_bad(s, "dbm_status_of");
    if (w->top->sticky == DBM_OK && dbm__load(&w->cancelled) != 0) return DBM_E_CANCELLED;
    return w->top->sticky;
}

DBM__DEF int64_t dbm_affected(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) { dbm__session_bad(s, "dbm_affected"); return -1; }
    (void)dbm__work_settle(w);
    return w->affected;
}

DBM__DEF int64_t dbm_last_id(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) { dbm__session_bad(s, "dbm_last_id"); return 0; }
    (void)dbm__work_settle(w);
    if (DBM__UNLIKELY(w->last_id == DBM_LAST_ID_UNKNOWN)) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_STATEMENT, w->db->name, w->top->site,
                  "dbm_last_id: %s tells a generated key only when the statement asks for it: INSERT ... RETURNING id", w->db->adapter->type);
        dbm__work_fail(w, w->top->site);
        return 0;
    }
    return w->last_id;
}

DBM__DEF dbm_database *dbm_session_database(dbm_session *s) {
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    if (w == NULL) { dbm__session_bad(s, "dbm_session_database"); return NULL; }
    return w->db;
}

DBM__DEF dbm_status dbm_cancel(dbm_session *s) {
    dbm__work *w;
    bool match, looped;
    if (s == NULL) return dbm__fail_null("dbm_cancel: the session is NULL; dbm_session_begin fills one in", NULL);
    if (s->slot == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_cancel: the session has ended, or never began");
    w = (dbm__work *)s->slot;
    dbm__add(&w->cancellers, 1);
    match = (uint32_t)dbm__load_ordered(&w->slot.gen) == s->gen;
    if (!match) { /* perhaps a block that joined */
        dbm__level *level;
        dbm__lock_take(&w->slot.pool->lock);
        for (level = w->base.inner; level != NULL && !match; level = level->inner) match = dbm__load32(&level->gen) == s->gen;
        dbm__lock_give(&w->slot.pool->lock);
    }
    if (match) {
        dbm__store(&w->cancelled, 1);
        dbm__store(&w->slot.connection.cancelled, 1);
        dbm__store_release(&w->trouble, 1);
        looped = w->side != NULL && w->side->gen == s->gen;
        if (!(looped && dbm__load(&w->side->waits) != 0) && dbm__load_ordered(&w->committing) == 0 && w->db->adapter->cancel != NULL) w->db->adapter->cancel(&w->slot.connection);
        if (w->db->gate != NULL) dbm__gate_wake(w->db->gate);
        if (looped) w->side->cancelled(w);
    }
    dbm__add(&w->cancellers, (dbm__word)0 - 1u);
    if (match) return DBM_OK;
    dbm__add(&w->slot.pool->stale_handles, 1);
    return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, w->db->name, NULL, "dbm_cancel: the session has ended; nothing was cancelled");
}

DBM__DEF bool dbm_session_failed(dbm_error_info *out) {
    dbm__thread *self = dbm__self();
    if (!self->has_failed) return false;
    self->has_failed = false;
    if (out != NULL) *out = self->failed;
    return true;
}

DBM__DEF void dbm__take_failure(dbm__failure *f) {
    dbm__thread *self = dbm__self();
    f->pending = self->has_failed ? 1 : 0;
    f->info.status = DBM_OK;
    if (!self->has_failed) return;
    self->has_failed = false;
    f->info = self->failed;
}

/* ---- behind the block macros --------------------------------------------------------------------------------------------------- */

/* The plain block of a database that is ready, first on its thread: nothing but the checkout. */
DBM__FN dbm_session dbm__block_open(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site) {
    dbm_session s;
    dbm__thread *self = dbm__self();
    dbm__slot *slot;
    dbm__fork_look();
    if (DBM__LIKELY(options == NULL && self->open == NULL && self->number != 0 && db->pool != NULL)) {
        self->has_failed = false;
        self->fork = dbm__fork_epoch();
        if (DBM__LIKELY(dbm__pool_take(db, INT64_MAX, self->number, site, &slot) == DBM_OK)) {
            dbm__work *w = (dbm__work *)(void *)slot;
            dbm__work_begin(w, status, DBM__KIND_BLOCK, site, &s);
            dbm__block_push(self, w);
        } else {
            dbm__session_refused(&s, status, self->last.status, DBM__KIND_BLOCK);
        }
        return s;
    }
    dbm__session_open(db, options, status, DBM__KIND_BLOCK, site, &s);
    return s;
}

DBM__DEF dbm_session dbm__block_begin_on(dbm_database *db, const dbm_session_options *options, dbm_status *status, const char *site) {
    dbm_session s;
    if (DBM__LIKELY(db != NULL)) return dbm__block_open(db, options, status, site);
    dbm__session_open(db, options, status, DBM__KIND_BLOCK, site, &s);
    return s;
}

/* Whether something of this level stands on the server; a block inside may have sent it, though nothing ran in the level itself. */
DBM__INLINE bool dbm__level_begun(const dbm__work *w, const dbm__level *level) {
    return level->point == 0 ? w->in_transaction : w->points_sent >= level->point;
}

static DBM__NOINLINE void dbm__block_finish(dbm__work *w, dbm__level *level, bool heard) {
    if (!heard && dbm__load(&w->cancelled) != 0 && level->sticky == DBM_OK) dbm__work_trouble(w, level->site);
    /* An explicit dbm_commit or dbm_rollback with nothing after it stands. */
    if (level->ran || level->sticky != DBM_OK || !level->asked || dbm__level_begun(w, level)) dbm__level_commit(w, level);
}

DBM__FN void dbm__session_finish(dbm__work *w, bool heard) {
    w->base.ended = true;
    dbm__block_finish(w, &w->base, heard);
}

/* The usual end is all of it: nothing is open, nothing failed, and no level is above. */
DBM__DEF bool dbm__block_commit(dbm_session *s) {
    dbm__work *w = dbm__work_of(s);
    dbm__level *level;
    if (DBM__UNLIKELY(w == NULL)) return false;
    level = w->top;
    level->ended = true;
    if (DBM__LIKELY(level == &w->base && !level->asked && dbm__load(&w->trouble) == 0 && !w->in_transaction && w->rows == NULL
                    && (!level->ran || (!w->gate_held && (w->sent_count | w->commands) == 0 && w->bulk == NULL)))) {
        dbm__thread *self = dbm__self();
        if (w->one.row.open) dbm__lane_close_one(w);
        dbm__level_outcome(level, DBM_OK);
        self->has_failed = false;
        s->slot = NULL;
        s->gen = 0;
        dbm__work_give(w, self, false);
        return false;
    }
    dbm__block_finish(w, level, false);
    return false;
}
DBM__DEF void dbm__block_end(dbm_session *s) {
    dbm__work *w;
    if (DBM__UNLIKELY(s->slot == NULL)) return;
    w = dbm__work_of(s);
    if (DBM__UNLIKELY(w == NULL)) {
        dbm__session_close(s);
        return;
    }
    s->slot = NULL;
    s->gen = 0;
    dbm__level_end(w);
}

/* Ends what was opened on this thread inside level `gen` of w; w NULL: inside no block. */
static void dbm__unwind_to(dbm__thread *self, const dbm__work *w, uint32_t gen) {
    dbm__work *open;
    while ((open = (dbm__work *)self->open) != NULL && (open != w || open->top->gen != gen)) {
        dbm__loops_end(self, self->loops_made - INT32_MAX);
        dbm__level_end(open);
    }
}

DBM__DEF void dbm__unwind(dbm_session *s) {
    dbm__work *w;
    dbm__thread *self;
    bool suspended;
    if (s == NULL || s->slot == NULL) return;
    w = (dbm__work *)s->slot;
    if (dbm__level_of(w, s->gen, &suspended) == NULL) return;
    self = dbm__self();
    if (!w->joinable) { /* by hand: the blocks around it are not inside it */
        if (w->begun_by == self) dbm__loops_end(self, w->loops_before);
    } else { /* blocks of other databases, and loops on them, that were opened inside: newest first */
        dbm__unwind_to(self, w, s->gen);
        dbm__loops_end(self, self->loops_made - INT32_MAX);
    }
    dbm__session_close(s);
}

DBM__DEF void dbm__unwind_row(dbm_row *row) {
    dbm_rows *rows = (dbm_rows *)(void *)row;
    dbm__thread *self = dbm__self();
    if (row == NULL || !row->open) return;
    if (row->owns_session) {
        dbm__unwind_to(self, rows->within, rows->within_gen);
        dbm__loops_end(self, rows->loop);
    } else {
        dbm_rows *r = row->work->rows, *next;
        if (row->work->joinable) dbm__unwind_to(self, row->work, row->gen);
        for (; r != NULL && r != rows; r = next) {
            next = r->next;
            if (r->row.looping) dbm__rows_close(r);
        }
    }
    dbm_rows_end(rows);
}

/* Runs the body again while it pays: `step` holds the attempts left (bits 8..15) and made (bits 16..23), and whether it has options. */
#define DBM__RETRY_OPTIONS 2u
static bool dbm__retry_pause(dbm_database *db, uint32_t step) {
    int64_t limit = 5000;
    uint32_t made = step >> 16 & 255u, i;
    if ((step >> 8 & 255u) == 0) return false;
    for (i = 1; i < made && limit < 500000; i++) limit = limit * 3 / 2;
    if (limit > 500000) limit = 500000;
    dbm__event(db->host, DBM_EVENT_RETRY, DBM_LOG_DEBUG, db->name, NULL, dbm__self()->last.status, 0, "attempt %u failed, trying again: %s",
               (uint64_t)made, dbm__self()->last.message);
    if (db->pool != NULL) dbm__add(&db->pool->retries, 1);
    dbm__sleep_until(db->host, dbm__now(db->host) + limit * (int64_t)(dbm__random(db->host) & 0xffffu) / 65536);
    return true;
}

DBM__FN dbm_session dbm__retry_begin_on(dbm_database *db, const dbm_session_options *options, int attempts, const char *site) {
    dbm_session s;
    uint32_t step;
    bool joined;
    if (attempts < 1) attempts = 1;
    if (attempts > 100) attempts = 100;
    step = (uint32_t)(attempts - 1) << 8 | 1u << 16;
    joined = db != NULL && dbm__open_block(db) != NULL;
    if (joined) step = 1u << 16;
    while (dbm__session_open(db, options, NULL, DBM__KIND_BLOCK, site, &s) != DBM_OK) {
        if (db == NULL || !dbm__self()->last.retryable || !dbm__retry_pause(db, step)) return s;
        step = (step & 0xff0000u) + 0x10000u + (((step >> 8 & 255u) - 1u) << 8);
    }
    s.step = step;
    if (options != NULL && !joined && s.slot != NULL) {
        ((dbm__work *)s.slot)->base.options = *options;
        s.step |= DBM__RETRY_OPTIONS;
    }
    return s;
}

DBM__DEF bool dbm__retry_next(dbm_session *s) {
    dbm__work *w = dbm__work_of(s);
    dbm_database *db;
    dbm_error_info error;
    dbm_session_options options;
    const char *site;
    uint32_t step = s->step, has_options = step & DBM__RETRY_OPTIONS;
    if (w == NULL) return false;
    db = w->db;
    dbm__block_commit(s);
    if (s->slot == NULL) return false; /* it has ended, and well */
    if (w->top->outcome == DBM_OK || w->top->outcome == DBM_ROLLED_BACK || w->top->error == NULL || !w->top->error->retryable || (step >> 8 & 255u) == 0
        || w->top != &w->base || (w->top->asked && !w->top->ran && w->top->sticky == DBM_OK)) return false;
    error = *w->top->error;
    site = w->top->site;
    options = w->base.options;
    dbm__session_close(s);
    dbm__self()->has_failed = false;
    dbm__fail_again(&error);
    for (;;) {
        dbm_status st;
        if (!dbm__retry_pause(db, step)) return false;
        step = (step & 0xff0000u) + 0x10000u + (((step >> 8 & 255u) - 1u) << 8);
        st = dbm__session_open(db, has_options ? &options : NULL, NULL, DBM__KIND_BLOCK, site, s);
        if (st == DBM_OK) break;
        if (!dbm__self()->last.retryable) return false;
    }
    if (has_options) ((dbm__work *)s->slot)->base.options = options;
    s->step = step | has_options | DBM__STARTED;
    return true;
}

/* ---- savepoints ------------------------------------------------------------------------------------------------------------------ */

DBM__DEF dbm__savepoint dbm__savepoint_begin(dbm_session *s, dbm_status *status, const char *site) {
    dbm__savepoint p;
    dbm_status st;
    dbm__work *w = s != NULL ? dbm__work_of(s) : NULL;
    p.session = NULL;
    p.status = status;
    p.number = 0;
    p.state = 2;
    if (status != NULL) *status = DBM_ROLLED_BACK;
    if (w == NULL) {
        st = dbm__session_bad(s, site);
        if (status != NULL) *status = st;
        return p;
    }
    if (w->top->sticky != DBM_OK) { /* the body does not run: nothing in it could */
        if (status != NULL) *status = w->top->sticky;
        return p;
    }
    if (w->bulk != NULL) {
        st = dbm__bulk_in_the_way(w, site);
        if (status != NULL) *status = st;
        return p;
    }
    if (w->no_transaction || !w->db->savepoints) {
        dbm__fail(DBM_E_UNSUPPORTED, DBM_STAGE_BEGIN, w->db->name, site, "DBM_SAVEPOINT needs %s",
                  w->db->transactions ? w->no_transaction ? "a transaction: this session is in autocommit" : "savepoints, and this backend has none"
                  : w->db->transactions_asked ? "savepoints, and this backend has none: its transactions succeed or fail whole"
                                              : "a transaction: this backend has none");
        if (status != NULL) *status = DBM_E_UNSUPPORTED;
        dbm__work_fail(w, site);
        return p;
    }
    p.session = s;
    p.number = (uint32_t)++w->points;
    p.state = 0;
    return p;
}

/* The end of the body: kept, or undone when something in it failed. */
DBM__DEF bool dbm__savepoint_release(dbm__savepoint *p) {
    dbm__work *w;
    dbm_status st;
    if (p->state != 1) return false;
    w = dbm__work_of(p->session);
    if (w != NULL && DBM__UNLIKELY(w->bulk != NULL) && w->top->sticky == DBM_OK) dbm__bulk_forgotten(w);
    if (w == NULL || w->points != (int)p->number || w->top->sticky != DBM_OK) return false; /* the end undoes it */
    if (w->timed && dbm__work_settle(w) != DBM_OK) return false;
    st = dbm__work_point_release(w, (int)p->number);
    if (st != DBM_OK) {
        dbm__work_fail(w, w->top->site);
        return false;
    }
    p->state = 2;
    w->points = (int)p->number - 1;
    if (p->status != NULL) *p->status = st;
    return false;
}

DBM__DEF void dbm__savepoint_end(dbm__savepoint *p) {
    dbm__work *w;
    if (p->state != 1) return;
    p->state = 2;
    w = dbm__work_of(p->session);
    if (w != NULL && DBM__UNLIKELY(w->bulk != NULL)) dbm__bulk_leave(w, w->top);
    if (w == NULL || w->points < (int)p->number) return;
    if (dbm__work_point_rollback(w, (int)p->number) == DBM_OK) {
        if (w->top->sticky != DBM_OK && w->top->failed_at >= (int)p->number && !w->slot.connection.broken) w->top->undone = true;
    } else {
        dbm__work_fail(w, w->top->site);
        w->slot.connection.broken = w->slot.connection.broken || w->in_transaction;
    }
    if (p->status != NULL) *p->status = w->top->sticky != DBM_OK ? w->top->sticky : DBM_ROLLED_BACK;
    w->points = (int)p->number - 1;
}
