/* Many lookups in flight, by tasks on one loop: a part of dbm.c. bench.h says how many, over how many connections; whoever has its answer asks for the
 * next one. */
#ifndef DBM_BENCH_DBM_ASYNC_H
#define DBM_BENCH_DBM_ASYNC_H

typedef struct finder { dbm_session s, *shared; dbm_rows *rows; dbm_row *row; int64_t from; long i; } finder;
static finder finders[BENCH_FLIGHT];
static dbm_loop *loop;
static long flight_next, flight_n;

/* All of its connections are made before anything is measured. */
static void connect_all(dbm_database *to) {
    dbm_session sessions[BENCH_CONNECTIONS];
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        if (dbm_session_begin(to, NULL, &sessions[i]) != DBM_OK) fail("connect");
    }
    for (int i = 0; i < BENCH_CONNECTIONS; i++) dbm_session_end(&sessions[i]);
}
static void open_flight(void) {
    open_both();
    connect_all(db);
    connect_all(standalone);
    if (dbm_loop_create(&loop, mgr, NULL) != DBM_OK) fail("loop");
}
static void end_flight(void) {
    dbm_loop_free(loop);
    end();
}
static void finder_ended(void *ud, dbm_status status, const dbm_error_info *error) {
    (void)ud;
    (void)status;
    if (error != NULL) bench_die("task", error->message);
}
static void fly(dbm_task_fn find, long n) {
    flight_next = 0;
    flight_n = n;
    for (int i = 0; i < BENCH_FLIGHT; i++) dbm_spawn_opt(loop, find, &finders[i], .on_end = finder_ended);
    if (dbm_loop_run(loop, 10000) != DBM_OK) fail("loop");
}
static const dbm_value *finder_words(const finder *f) {
    static dbm_value words[2];
    const char *key;
    size_t size = bench_key(bench_id(f->i), &key);
    words[0] = dbm_textn("GET", 3);
    words[1] = dbm_textn(key, size);
    return words;
}
static bool finder_next(finder *f) {
    if (flight_next == flight_n) return false;
    f->i = flight_next++;
    f->from = bench_ns();
    return true;
}
static void finder_found(finder *f, int64_t age) {
    bench_user(dbm_row_text(f->row, 0), age);
    bench_answered(f->from);
}

/* Calls on a database, which share its connections: what was asked for in a turn of the loop goes out together. */
static dbm_task_status find(dbm_task *t) {
    finder *f = (finder *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    while (finder_next(f)) {
        DBM_AWAIT(t, dbm_async_query_one(db, &f->row, BENCH_LOOKUP("?"), (int64_t)bench_id(f->i)));
        finder_found(f, dbm_row_int(f->row, 1));
    }
    DBM_TASK_END(t);
}
static void flight(long n) { fly(find, n); }

/* A session for each lookup: a connection has one at a time, and whoever waits longest has the next one. */
static dbm_task_status find_in_sessions(dbm_task *t) {
    finder *f = (finder *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    while (finder_next(f)) {
        DBM_AWAIT(t, dbm_async_session_on(t, standalone, &f->s));
        DBM_AWAIT(t, dbm_async_query_one(&f->s, &f->row, BENCH_LOOKUP("?"), (int64_t)bench_id(f->i)));
        finder_found(f, dbm_row_int(f->row, 1));
        DBM_AWAIT(t, dbm_async_end(&f->s));
    }
    DBM_TASK_END(t);
}
static void flight_sessions(long n) { fly(find_in_sessions, n); }
/* The words as they are: nothing is parsed. */
static dbm_task_status get(dbm_task *t) {
    finder *f = (finder *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    while (finder_next(f)) {
        DBM_AWAIT(t, dbm_async_redis_commandv(db, &f->row, finder_words(f), 2));
        finder_found(f, 0);
    }
    DBM_TASK_END(t);
}
static void flight_gets(long n) { fly(get, n); }
static dbm_task_status get_in_sessions(dbm_task *t) {
    finder *f = (finder *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    while (finder_next(f)) {
        DBM_AWAIT(t, dbm_async_session_on(t, db, &f->s));
        DBM_AWAIT(t, dbm_async_redis_commandv(&f->s, &f->row, finder_words(f), 2));
        finder_found(f, 0);
        DBM_AWAIT(t, dbm_async_end(&f->s));
    }
    DBM_TASK_END(t);
}
static void flight_gets_in_sessions(long n) { fly(get_in_sessions, n); }

/* Long sessions, each shared by the 16 children of the task that began it. Rows are read as such: what dbm_async_query_one() found would live until the next
 * call on the session alone, whoever makes it. */
static dbm_task_status find_in_shared(dbm_task *t) {
    finder *f = (finder *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    while (finder_next(f)) {
        DBM_AWAIT(t, dbm_async_query(f->shared, &f->rows, BENCH_LOOKUP("?"), (int64_t)bench_id(f->i)));
        DBM_AWAIT_ROW(t, f->rows, f->row) finder_found(f, dbm_row_int(f->row, 1));
    }
    DBM_TASK_END(t);
}
static dbm_task_status share(dbm_task *t) {
    finder *f = (finder *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, standalone, &f->s));
    for (int i = 0; i < BENCH_FLIGHT / BENCH_CONNECTIONS; i++) {
        f[i].shared = &f->s;
        (void)dbm_async_task(t, find_in_shared, &f[i]);
    }
    DBM_AWAIT(t, dbm_async_all(t));
    DBM_TASK_END(t);
}
static void flight_shared(long n) {
    flight_next = 0;
    flight_n = n;
    for (int i = 0; i < BENCH_CONNECTIONS; i++) dbm_spawn_opt(loop, share, &finders[i * (BENCH_FLIGHT / BENCH_CONNECTIONS)], .on_end = finder_ended);
    if (dbm_loop_run(loop, 10000) != DBM_OK) fail("loop");
}
#endif
