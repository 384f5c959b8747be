/* Failures and events: this thread's last error, the names of statuses, the log and the event hook.
 * May call: base.h's declarations (text.c, platform.c).
 * Must not know: who fails. Nothing here allocates or locks. */
#include "base.h"

/* ---- statuses -------------------------------------------------------------------------------------------------------- */

DBM__DEF const char *dbm_status_name(dbm_status status) {
    switch ((int)status) {
#define DBM__CASE(name, number, text) case number: return "DBM_" #name;
    DBM_STATUS_LIST(DBM__CASE)
#undef DBM__CASE
    default: return "?";
    }
}

DBM__DEF const char *dbm_status_text(dbm_status status) {
    switch ((int)status) {
#define DBM__CASE(name, number, text) case number: return text;
    DBM_STATUS_LIST(DBM__CASE)
#undef DBM__CASE
    default: return "?";
    }
}

DBM__DEF const dbm_error_info *dbm_last_error(void) { return &dbm__self()->last; }

/* ---- failures -------------------------------------------------------------------------------------------------------- */

/* Built aside and then copied: the texts may come from the very error that they replace. */
DBM__FN DBM__NOINLINE dbm_status dbm__fail(dbm_status status, dbm_stage stage, const char *database, const char *site, const char *format, ...) {
    dbm_error_info error;
    memset(&error, 0, sizeof error);
    error.status = status;
    error.stage = stage;
    error.retryable = status == DBM_E_SERIALIZATION || status == DBM_E_DEADLOCK; /* so says what they mean */
    dbm__copy_cut(error.database, sizeof error.database, database);
    dbm__copy_cut(error.site, sizeof error.site, site);
    if (format) DBM__FORMAT(error.message, sizeof error.message, format);
    if (!error.message[0]) dbm__copy_cut(error.message, sizeof error.message, dbm_status_text(status));
    dbm__self()->last = error;
    return status;
}

DBM__FN dbm_status dbm__no_memory(dbm_stage stage, const char *database, const char *site) {
    return dbm__fail(DBM_E_NOMEM, stage, database, site, NULL);
}

DBM__FN dbm_status dbm__fail_again(const dbm_error_info *error) {
    dbm__thread *self = dbm__self();
    if (error != &self->last) self->last = *error;
    return error->status;
}

DBM__FN dbm_status dbm__fail_null(const char *what, const char *site) {
    dbm_status status = dbm__self()->last.status;
    return status != DBM_OK ? status : dbm__fail(DBM_E_MISUSE, DBM_STAGE_NONE, "", site, "%s", what);
}

/* ---- log and events ---------------------------------------------------------------------------------------------------- */

#if DBM__STDIO
/* In one write, so that the lines of two threads do not mix. */
DBM__FN void dbm__log_to_stderr(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    char line[1400];
    dbm__text t;
    (void)ud;
    if (level > DBM_LOG_WARNING) return;
    t = dbm__text_in(line, sizeof line - 1); /* one byte is left for the end of the line */
    dbm__put(&t, level == DBM_LOG_ERROR ? "dbm: error: " : "dbm: warning: ");
    if (database[0]) dbm__putf(&t, "%s: ", database);
    if (text[0]) dbm__put(&t, text);
    else dbm__putf(&t, "event %d", event_id);
    dbm__text_end(&t);
    line[t.size] = '\n';
    (void)fwrite(line, 1, t.size + 1, stderr);
}
#  define DBM__IS_DEFAULT_LOG(host) ((host)->log == dbm__log_to_stderr)
#else
#  define DBM__IS_DEFAULT_LOG(host) false
#endif

/* The default hook prints warnings and errors only; it need not be asked for the rest. */
static bool dbm__log_wanted(const dbm__host *host, dbm_log_level level) {
    return host->log && (level <= DBM_LOG_WARNING || !DBM__IS_DEFAULT_LOG(host));
}

DBM__FN bool dbm__event_wanted(const dbm__host *host, dbm_log_level level) {
    return host->event || dbm__log_wanted(host, level);
}

#if DBM__LOG_TEXT
static const char *dbm__event_text(dbm_event_id id) {
    switch ((int)id) {
#define DBM__CASE(name, number, text) case number: return text;
    DBM_EVENT_LIST(DBM__CASE)
#undef DBM__CASE
    default: return "";
    }
}
#endif

DBM__FN DBM__NOINLINE void dbm__event(dbm__host *host, dbm_event_id id, dbm_log_level level, const char *database,
                                      const char *site, dbm_status status, int64_t duration_us, const char *format, ...) {
    dbm_event event;
#if DBM__LOG_TEXT
    char block[1200];
#endif
    if (!dbm__event_wanted(host, level)) return;
    event.id = id;
    event.level = level;
    event.database = database ? database : "";
    event.site = site ? site : "";
    event.text = "";
    event.status = status;
    event.duration_us = duration_us;
#if DBM__LOG_TEXT
    block[0] = 0;
    if (format) DBM__FORMAT(block, sizeof block, format);
    event.text = block[0] ? block : dbm__event_text(id);
#else
    (void)format;
#endif
    if (host->event) host->event(host->event_ud, &event);
    if (dbm__log_wanted(host, level)) host->log(host->log_ud, level, (int)id, event.database, event.text);
}
