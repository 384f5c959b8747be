/* The adapter's side of the table: its checks at registration, and the calls that adapters make.
 * May call: api/, base/, config/.
 * Must not know: how operations are run, pools, sessions. */
#include "adapter.h"

DBM__FN dbm_status dbm__adapter_check(const dbm_adapter *a) {
    const char *wrong = NULL;
    if (a == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: the adapter is NULL");
    if (a->size != sizeof(dbm_adapter) || a->version != DBM_ADAPTER_VERSION) {
        return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: the adapter was built for another dbm.h (size %u and version %u, "
                         "here %u and %u): compile it again, with .size = sizeof(dbm_adapter) and .version = DBM_ADAPTER_VERSION",
                         (uint64_t)a->size, (uint64_t)a->version, (uint64_t)sizeof(dbm_adapter), (uint64_t)DBM_ADAPTER_VERSION);
    }
    if (a->type == NULL || a->type[0] == 0) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: the adapter has no .type");
    if (a->init == NULL) wrong = "lacks .init, which is required";
    else if (a->close == NULL) wrong = "lacks .close, which is required";
    else if ((a->start == NULL) != (a->step == NULL)) wrong = "has one of .start and .step; both or none";
    else if ((a->flags & DBM_ADAPTER_PIPELINE) && (a->start == NULL || (a->flags & DBM_ADAPTER_SHARED))) wrong = "is DBM_ADAPTER_PIPELINE, which needs .start and .step and a connection for each session";
    else if ((a->connect != NULL || a->start != NULL) && a->disconnect == NULL) wrong = "connects but has no .disconnect";
    else if ((a->fetch != NULL || a->start != NULL) && a->column == NULL) wrong = "fetches rows but has no .column";
    return wrong == NULL ? DBM_OK : dbm__fail(DBM_E_MISUSE, DBM_STAGE_CONFIG, NULL, NULL, "dbm_register: adapter %q %s", a->type, wrong);
}

/* ---- failures ------------------------------------------------------------------------------------------------------- */

/* What a SQLSTATE's class says, where the adapter itself does not. Source: ISO 9075-2 table 38, and PostgreSQL's appendix A. */
static dbm_status dbm__status_of_sqlstate(const char *s, bool *retryable) {
    *retryable = false;
    if (s == NULL || s[0] == 0) return DBM_E_SQL;
    if (strcmp(s, "40001") == 0) { *retryable = true; return DBM_E_SERIALIZATION; }
    if (strcmp(s, "40P01") == 0) { *retryable = true; return DBM_E_DEADLOCK; }
    if (strcmp(s, "25006") == 0) return DBM_E_READ_ONLY;
    if (strcmp(s, "57014") == 0) return DBM_E_CANCELLED;
    if (strncmp(s, "08", 2) == 0 || strncmp(s, "57P", 3) == 0) { *retryable = true; return DBM_E_LOST; }
    if (strncmp(s, "28", 2) == 0) return DBM_E_AUTH;
    if (strncmp(s, "23", 2) == 0) return DBM_E_CONSTRAINT;
    if (strncmp(s, "22003", 5) == 0) return DBM_E_RANGE;
    return DBM_E_SQL;
}

static dbm_constraint dbm__constraint_of_sqlstate(const char *s) {
    static const struct { const char *state; dbm_constraint kind; } known[] = {
        { "23505", DBM_CONSTRAINT_UNIQUE }, { "23502", DBM_CONSTRAINT_NOT_NULL }, { "23503", DBM_CONSTRAINT_FOREIGN_KEY },
        { "23514", DBM_CONSTRAINT_CHECK }, { "23P01", DBM_CONSTRAINT_EXCLUSION }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) if (strcmp(s, known[i].state) == 0) return known[i].kind;
    return DBM_CONSTRAINT_OTHER;
}

DBM__DEF dbm_status dbm_adapter_fail(dbm_connection *c, dbm_status status, const char *sqlstate, int native, const char *text) {
    dbm_error_info *e;
    bool retryable = status == DBM_E_LOST || status == DBM_E_SERIALIZATION || status == DBM_E_DEADLOCK;
    if (c == NULL) return dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, NULL, NULL, "dbm_adapter_fail: the connection is NULL");
    if (status == DBM_OK || status == DBM_DONE) {
        status = DBM_OK;
        if (c->db->adapter->classify != NULL) status = c->db->adapter->classify(c, sqlstate, native, &retryable);
        if (status == DBM_OK || status == DBM_DONE) status = dbm__status_of_sqlstate(sqlstate, &retryable);
    }
    dbm__fail(status, c->connecting ? DBM_STAGE_CONNECT : DBM_STAGE_STATEMENT, c->db->name, NULL, "%s",
              text != NULL && text[0] != 0 ? text : dbm_status_text(status));
    e = &dbm__self()->last;
    e->native_code = native;
    e->retryable = retryable;
    if (sqlstate != NULL) dbm__copy_cut(e->sqlstate, sizeof e->sqlstate, sqlstate);
    if (status == DBM_E_CONSTRAINT && sqlstate != NULL) e->constraint = dbm__constraint_of_sqlstate(sqlstate);
    dbm__redact(c->db->settings, e->message);
    if (status == DBM_E_LOST) c->broken = true;
    c->reported = true;
    return status;
}

DBM__DEF dbm_status dbm_adapter_fail_init(dbm_database *db, dbm_status status, const char *text) {
    dbm__fail(status, DBM_STAGE_CONFIG, db->name, NULL, "database %q (%s): %s", db->name, db->settings->origin, text);
    dbm__redact(db->settings, dbm__self()->last.message);
    return status;
}

DBM__FN dbm_status dbm__adapter_say(dbm_connection *c, dbm_status status, const char *sqlstate, int native, const char *format, ...) {
    char block[1000];
    DBM__FORMAT(block, sizeof block, format);
    return dbm_adapter_fail(c, status, sqlstate, native, block);
}

DBM__FN dbm_status dbm__adapter_refuse(dbm_database *db, dbm_status status, const char *format, ...) {
    char block[800];
    DBM__FORMAT(block, sizeof block, format);
    return dbm_adapter_fail_init(db, status, block);
}

DBM__DEF void dbm_adapter_fail_retryable(dbm_connection *c) {
    (void)c;
    dbm__self()->last.retryable = true;
}

DBM__DEF void dbm_adapter_fail_constraint(dbm_connection *c, dbm_constraint kind, const char *name) {
    dbm_error_info *e = &dbm__self()->last;
    e->constraint = kind;
    dbm__copy_cut(e->constraint_name, sizeof e->constraint_name, name != NULL ? name : "");
    dbm__redact(c->db->settings, e->constraint_name);
}

DBM__DEF void dbm_adapter_broken(dbm_connection *c) { c->broken = true; }
DBM__DEF void dbm_adapter_state(dbm_connection *c, dbm_state state) { c->state = state; }

DBM__DEF void dbm_adapter_bulk_refused(dbm_connection *c, dbm_op *op, int64_t row) {
    c->reported = false;
    op->bulk->refused(op->bulk, row);
}

DBM__DEF void dbm_adapter_notice(dbm_connection *c, const char *text) {
    char copy[1024];
    if (!dbm__event_wanted(c->db->host, DBM_LOG_INFO)) return;
    dbm__copy_cut(copy, sizeof copy, text);
    dbm__redact(c->db->settings, copy);
    dbm__event(c->db->host, DBM_EVENT_NOTICE, DBM_LOG_INFO, c->db->name, NULL, DBM_OK, 0, "%s", copy);
}

/* ---- rows put aside ------------------------------------------------------------------------------------------------- */

DBM__FN void *dbm__aside_room(dbm_database *db, dbm__aside *a, dbm__aside_chunk **spare, size_t size, size_t limit, dbm_status *status) {
    const size_t head = DBM__ASIDE_ALIGNED(sizeof(dbm__aside_chunk));
    dbm__aside_chunk *chunk = a->chunks;
    if (size > SIZE_MAX - head - 7) { *status = DBM_E_LIMIT; return NULL; }
    size = DBM__ASIDE_ALIGNED(size);
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t want = a->kept < DBM__ASIDE_CHUNK ? DBM__ASIDE_CHUNK : a->kept > 1048576 ? 1048576 : a->kept;
        if (a->kept > limit || limit - a->kept < head + size) { *status = DBM_E_LIMIT; return NULL; }
        if (want < head + size) want = head + size;
        if (want > limit - a->kept) want = limit - a->kept;
        chunk = want == DBM__ASIDE_CHUNK ? *spare : NULL;
        if (chunk != NULL) *spare = NULL;
        else chunk = (dbm__aside_chunk *)dbm__alloc(db->host, want);
        if (chunk == NULL) { *status = DBM_E_NOMEM; return NULL; }
        chunk->next = a->chunks;
        chunk->size = want;
        chunk->used = head;
        a->chunks = chunk;
        a->kept += want;
    }
    chunk->used += size;
    return (char *)chunk + chunk->used - size;
}

DBM__FN void dbm__aside_drop(dbm_database *db, dbm__aside *a, dbm__aside_chunk **spare) {
    while (a->chunks != NULL) {
        dbm__aside_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        if (chunk->size == DBM__ASIDE_CHUNK && *spare == NULL) *spare = chunk;
        else dbm__free(db->host, chunk);
    }
    a->kept = 0;
}

/* ---- configuration and memory --------------------------------------------------------------------------------------- */

DBM__DEF const char *dbm_adapter_option(dbm_database *db, const char *key) { return dbm__settings_option(db->settings, key); }
DBM__FN const char *dbm__adapter_argument(dbm_database *db, size_t *i, dbm_option *out) {
    const dbm_url *url = &db->settings->url;
    const dbm_config *config = &db->settings->config;
    for (; *i < url->parameter_count + config->option_count; ++*i) {
        bool of_url = *i < url->parameter_count;
        *out = of_url ? url->parameters[*i] : config->options[*i - url->parameter_count];
        if (!of_url && strncmp(out->name, "connect_args.", 13) != 0) continue;
        if (!of_url) out->name += 13;
        ++*i;
        return of_url ? "the URL's parameter" : "the connect_args key";
    }
    return NULL;
}
DBM__FN dbm_status dbm__adapter_unknown(dbm_database *db, const char *where, const char *name, const char *const *names, size_t count, const char *none) {
    const char *near_one = dbm__nearest(name, names, count);
    if (near_one == NULL) return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s %q %s", where, name, none);
    return dbm__adapter_refuse(db, DBM_E_CONFIG, "%s %q %s; did you mean %s?", where, name, none, near_one);
}
DBM__DEF const dbm_url *dbm_adapter_url(dbm_database *db) { return &db->settings->url; }
DBM__DEF const dbm_config *dbm_adapter_config(dbm_database *db) { return &db->settings->config; }
DBM__DEF dbm_database *dbm_adapter_database(dbm_connection *c) { return c->db; }
DBM__DEF void dbm_adapter_set_data(dbm_connection *c, void *data) { c->data = data; }
DBM__DEF void *dbm_adapter_data(dbm_connection *c) { return c->data; }
DBM__DEF void dbm_adapter_set_db_data(dbm_database *db, void *data) { db->data = data; }
DBM__DEF void *dbm_adapter_db_data(dbm_database *db) { return db->data; }
DBM__DEF void dbm_adapter_set_db_native(dbm_database *db, void *native) { dbm__store(&db->native, (dbm__word)native); }
DBM__DEF void dbm_adapter_single(dbm_database *db) { db->single = true; }
DBM__DEF void dbm_adapter_readers_block(dbm_connection *c, bool readers_block) { c->readers_block = readers_block; }
DBM__DEF void *dbm_adapter_alloc(dbm_database *db, size_t size) { return dbm__alloc(db->host, size); }
DBM__DEF void *dbm_adapter_resize(dbm_database *db, void *block, size_t size) { return dbm__resize(db->host, block, size); }
DBM__DEF void dbm_adapter_free(dbm_database *db, void *block) { dbm__free(db->host, block); }
DBM__DEF int64_t dbm_adapter_clock(dbm_database *db) { return dbm__now(db->host); }

DBM__DEF int dbm_adapter_left_ms(dbm_connection *c, const dbm_op *op) {
    int silence_ms = c->db->settings->config.socket_timeout_ms;
    int64_t left = INT64_MAX;
    if (op->deadline_us != INT64_MAX) left = (op->deadline_us - dbm__now(c->db->host) + 999) / 1000;
    if (silence_ms > 0 && silence_ms < left) left = silence_ms;
    if (left == INT64_MAX) return -1;
    return left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* The list was checked when it was configured: what stands in it are hosts. */
DBM__DEF bool dbm_adapter_host(dbm_database *db, int i, char *host, size_t n, int *port) {
    const char *list = db->settings->url.hosts;
    int unused;
    for (; i > 0 && list != NULL; i--) list = (list = strchr(list, ',')) != NULL ? list + 1 : NULL;
    return i >= 0 && list != NULL && *list != 0 && dbm__host_next(&list, host, n, port != NULL ? port : &unused);
}

DBM__DEF dbm_tls dbm_adapter_tls(dbm_database *db, bool local) {
    dbm_tls tls = db->settings->config.tls;
    return tls != DBM_TLS_DEFAULT ? tls : local ? DBM_TLS_OFF : DBM_TLS_PREFER;
}

DBM__DEF void dbm_adapter_clear_text(dbm_connection *c) {
    if (dbm__swap(&c->db->clear_text, 1) != 0) return;
    dbm__event(c->db->host, DBM_EVENT_CLEAR_TEXT, DBM_LOG_WARNING, c->db->name, NULL, DBM_OK, 0, "database %q is reached over the network without "
               "encryption, so password and data may be read on the way: set tls = require or better, or tls = off if that is meant", c->db->name);
}

DBM__FN void dbm__credentials_drop(dbm_connection *c) {
    if (c->user != NULL) dbm__free(c->db->host, c->user);
    if (c->password != NULL) {
        dbm__wipe(c->password, strlen(c->password));
        dbm__free(c->db->host, c->password);
    }
    c->user = c->password = NULL;
}

DBM__DEF dbm_status dbm_adapter_credentials(dbm_connection *c, dbm_credentials *out) {
    dbm__settings *settings = c->db->settings;
    dbm_credentials got;
    dbm_status st;
    out->user = settings->url.user;
    out->password = settings->url.password;
    if (settings->config.credentials == NULL) return DBM_OK;
    got.user = got.password = NULL;
    st = settings->config.credentials(settings->config.credentials_ud, &got);
    if (st != DBM_OK) return dbm_adapter_fail(c, st, NULL, 0, "the credential callback of this database failed");
    dbm__credentials_drop(c);
    if (got.user != NULL && (c->user = dbm__copy_text(c->db->host, got.user, strlen(got.user))) == NULL) {
        return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
    }
    if (got.password != NULL) {
        c->password = dbm__copy_text(c->db->host, got.password, strlen(got.password));
        if (c->password == NULL) return dbm__no_memory(DBM_STAGE_CONNECT, c->db->name, NULL);
        st = dbm__settings_add_secret(c->db->host, settings, got.password);
        if (st != DBM_OK) return st;
    }
    if (c->user != NULL) out->user = c->user;
    if (c->password != NULL) out->password = c->password;
    return DBM_OK;
}
