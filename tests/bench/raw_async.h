/* Many lookups in flight, by hand against the drivers' own non-blocking calls and epoll: a part of raw.c. bench.h says how many, over how many
 * connections; whoever has its answer asks for the next one. */
#ifndef DBM_BENCH_RAW_ASYNC_H
#define DBM_BENCH_RAW_ASYNC_H
#include <sys/epoll.h>

enum { DEPTH = BENCH_FLIGHT / BENCH_CONNECTIONS };
static int poller = -1;
static uint32_t polled[BENCH_CONNECTIONS]; /* what each connection is watched for */
static inline void watch(int fd, int which, uint32_t events) {
    struct epoll_event e = { .events = events, .data.u32 = (uint32_t)which };
    if (poller < 0) poller = epoll_create1(EPOLL_CLOEXEC);
    if (polled[which] == events) return;
    if (epoll_ctl(poller, polled[which] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e) != 0) bench_die("epoll_ctl", "a descriptor can't be watched");
    polled[which] = events;
}
static inline int wait_for_some(struct epoll_event *events) {
    int count = epoll_wait(poller, events, BENCH_CONNECTIONS, 10000);
    if (count <= 0) bench_die("epoll_wait", "no answer for 10 seconds");
    return count;
}

/* ---- PostgreSQL: pipelines of 16, or one at a time ---- */

#ifdef DBM_WITH_POSTGRESQL
typedef struct pg_line { PGconn *conn; int64_t from[DEPTH]; long asked, answered, syncs; int who; } pg_line;
static pg_line pg_lines[BENCH_CONNECTIONS];

static void pg_lines_open_in(bool pipeline) {
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        pg_open();
        pg_lines[i].conn = pg;
        if (PQsetnonblocking(pg, 1) != 0 || (pipeline && !PQenterPipelineMode(pg))) bench_die("postgresql", PQerrorMessage(pg));
        watch(PQsocket(pg), i, EPOLLIN);
    }
}
static void pg_lines_open(void) { pg_lines_open_in(true); }
static void pg_lines_open_alone(void) { pg_lines_open_in(false); }
static void pg_lines_close(void) {
    for (int i = 0; i < BENCH_CONNECTIONS; i++) PQfinish(pg_lines[i].conn);
}
static void pg_line_ask(pg_line *line, long i) {
    pg_id p;
    pg = line->conn;
    pg_id_set(&p, bench_id(i));
    pg_send("find", 1, p.values, p.sizes);
    line->asked++;
}
static void pg_line_sync(pg_line *line) {
    if (!PQpipelineSync(line->conn)) bench_die("sync", PQerrorMessage(line->conn));
    line->syncs++;
}
static void pg_line_flush(pg_line *line) {
    int left = PQflush(line->conn);
    if (left < 0) bench_die("flush", PQerrorMessage(line->conn));
    watch(PQsocket(line->conn), (int)(line - pg_lines), left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}
/* `each`: a synchronisation for each query, so that one that fails takes no other one with it; else one for the 16 of a connection, which are then sent
 * when the last 16 have all been answered. */
static void pg_lines_run(long n, bool each) {
    struct epoll_event ready[BENCH_CONNECTIONS];
    long next = 0, done = 0;
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        pg_line *line = &pg_lines[i];
        line->asked = line->answered = 0;
        for (int k = 0; k < DEPTH && next < n; k++) {
            line->from[k] = bench_ns();
            pg_line_ask(line, next++);
            if (each) pg_line_sync(line);
        }
        if (!each) pg_line_sync(line);
        pg_line_flush(line);
    }
    while (done < n) {
        int count = wait_for_some(ready);
        for (int i = 0; i < count; i++) {
            pg_line *line = &pg_lines[ready[i].data.u32];
            pg = line->conn;
            if (!PQconsumeInput(pg)) bench_die("read", PQerrorMessage(pg));
            while (line->syncs > 0 && !PQisBusy(pg)) {
                PGresult *r = PQgetResult(pg);
                if (r == NULL) continue; /* the end of one query's results */
                if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
                    PQclear(r);
                    line->syncs--;
                    if (each || next == n) continue;
                    for (int k = 0; k < DEPTH && next < n; k++) pg_line_ask(line, next++);
                    pg_line_sync(line);
                } else {
                    int64_t *from = &line->from[line->answered++ % DEPTH];
                    pg_read_user(r);
                    bench_answered(*from);
                    done++;
                    *from = bench_ns();
                    if (!each || next == n) continue;
                    pg_line_ask(line, next++);
                    pg_line_sync(line);
                }
            }
            pg_line_flush(line);
        }
    }
    /* What is still to be read is the last synchronisations. */
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        for (; pg_lines[i].syncs > 0; pg_lines[i].syncs--) {
            PGresult *r;
            while ((r = PQgetResult(pg_lines[i].conn)) == NULL) {}
            PQclear(r);
        }
    }
}
static void pg_lines_each(long n) { pg_lines_run(n, true); }
static void pg_lines_16(long n) { pg_lines_run(n, false); }

/* Without a pipeline: a connection has one query at a time, and whoever waits longest has the next connection. */
static void pg_lines_alone(long n) {
    struct epoll_event ready[BENCH_CONNECTIONS];
    int64_t from[BENCH_FLIGHT];
    int queue[BENCH_FLIGHT];
    long next = 0, done = 0, in = 0, out = 0;
    for (int who = 0; who < BENCH_FLIGHT; who++) {
        from[who] = bench_ns();
        queue[in++ % BENCH_FLIGHT] = who;
    }
    for (int i = 0; i < BENCH_CONNECTIONS && next < n; i++) {
        pg_lines[i].who = queue[out++ % BENCH_FLIGHT];
        pg_line_ask(&pg_lines[i], next++);
        pg_line_flush(&pg_lines[i]);
    }
    while (done < n) {
        int count = wait_for_some(ready);
        for (int i = 0; i < count; i++) {
            pg_line *line = &pg_lines[ready[i].data.u32];
            PGresult *r;
            pg = line->conn;
            if (!PQconsumeInput(pg)) bench_die("read", PQerrorMessage(pg));
            if (PQisBusy(pg)) continue;
            r = PQgetResult(pg);
            if (r == NULL) continue;
            pg_read_user(r);
            if (PQgetResult(pg) != NULL) bench_die("lookup", "more than one result");
            bench_answered(from[line->who]);
            done++;
            from[line->who] = bench_ns();
            queue[in++ % BENCH_FLIGHT] = line->who;
            if (next == n) continue;
            line->who = queue[out++ % BENCH_FLIGHT];
            pg_line_ask(line, next++);
            pg_line_flush(line);
        }
    }
}
#endif

/* ---- MariaDB: _start and _cont, which its own client has ---- */

#if defined(DBM_WITH_MYSQL) && defined(MARIADB_BASE_VERSION)
typedef struct my_line {
    MYSQL *my;
    MYSQL_STMT *find;
    long long id;
    char name[64];
    unsigned long name_size;
    int age, who, stage, rc;
} my_line;
static my_line my_lines[BENCH_CONNECTIONS];

static void my_lines_open(void) {
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        my_line *line = &my_lines[i];
        MYSQL_BIND in, out[2];
        my_connect_with(true);
        line->my = my;
        line->find = my_prepare(BENCH_LOOKUP("?"));
        in = my_bind(MYSQL_TYPE_LONGLONG, &line->id, sizeof line->id, NULL);
        out[0] = my_bind(MYSQL_TYPE_STRING, line->name, sizeof line->name, &line->name_size);
        out[1] = my_bind(MYSQL_TYPE_LONG, &line->age, sizeof line->age, NULL);
        mysql_stmt_bind_param(line->find, &in);
        mysql_stmt_bind_result(line->find, out);
        watch((int)mysql_get_socket(my), i, EPOLLIN);
    }
}
static void my_lines_close(void) {
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        mysql_stmt_close(my_lines[i].find);
        mysql_close(my_lines[i].my);
    }
}
/* One lookup, as far as it goes without waiting; `ready` is 0 at its begin. True: it has its answer. */
static bool my_line_on(my_line *line, int ready) {
    for (;;) {
        my_bool freed = 0;
        int wait;
        switch (line->stage) {
        case 0: wait = ready != 0 ? mysql_stmt_execute_cont(&line->rc, line->find, ready) : mysql_stmt_execute_start(&line->rc, line->find); break;
        case 1: wait = ready != 0 ? mysql_stmt_fetch_cont(&line->rc, line->find, ready) : mysql_stmt_fetch_start(&line->rc, line->find); break;
        default:
            wait = ready != 0 ? mysql_stmt_free_result_cont(&freed, line->find, ready) : mysql_stmt_free_result_start(&freed, line->find);
            line->rc = freed;
            break;
        }
        if (wait != 0) {
            watch((int)mysql_get_socket(line->my), (int)(line - my_lines), wait & MYSQL_WAIT_WRITE ? EPOLLIN | EPOLLOUT : EPOLLIN);
            return false;
        }
        if (line->rc != 0) bench_die("lookup", line->rc == MYSQL_NO_DATA ? "no row" : mysql_stmt_error(line->find));
        ready = 0;
        if (++line->stage == 3) break;
    }
    line->stage = 0;
    bench_user(line->name, line->age);
    return true;
}
static void my_lines_run(long n) {
    struct epoll_event ready[BENCH_CONNECTIONS];
    int64_t from[BENCH_FLIGHT];
    int queue[BENCH_FLIGHT];
    bool busy[BENCH_CONNECTIONS] = { false };
    long next = 0, done = 0, in = 0, out = 0;
    int count = BENCH_CONNECTIONS;
    for (int who = 0; who < BENCH_FLIGHT; who++) {
        from[who] = bench_ns();
        queue[in++ % BENCH_FLIGHT] = who;
    }
    for (int i = 0; i < BENCH_CONNECTIONS; i++) ready[i].data.u32 = (uint32_t)i;
    do {
        for (int i = 0; i < count; i++) {
            my_line *line = &my_lines[ready[i].data.u32];
            bool *mine = &busy[ready[i].data.u32], answered = false;
            if (*mine) answered = my_line_on(line, (ready[i].events & EPOLLIN ? MYSQL_WAIT_READ : 0) | (ready[i].events & EPOLLOUT ? MYSQL_WAIT_WRITE : 0));
            while (answered || !*mine) {
                if (answered) {
                    bench_answered(from[line->who]);
                    done++;
                    from[line->who] = bench_ns();
                    queue[in++ % BENCH_FLIGHT] = line->who;
                }
                *mine = next < n;
                if (!*mine) break;
                line->who = queue[out++ % BENCH_FLIGHT];
                line->id = bench_id(next++);
                answered = my_line_on(line, 0);
            }
        }
        if (done < n) count = wait_for_some(ready);
    } while (done < n);
}
#endif

/* ---- Redis: hiredis' asynchronous half. What was asked in a turn of the loop is written at its end, without another turn for it ---- */

#ifdef DBM_WITH_REDIS
#include <hiredis/async.h>

typedef struct redis_line { redisAsyncContext *conn; int which; bool writes; } redis_line;
static redis_line redis_lines[BENCH_CONNECTIONS];
static struct { int64_t from; redis_line *line; } redis_who[BENCH_FLIGHT];
static long redis_next, redis_done, redis_n;

static void redis_add_read(void *ud) {
    redis_line *line = (redis_line *)ud;
    watch(line->conn->c.fd, line->which, EPOLLIN);
}
static void redis_add_write(void *ud) { ((redis_line *)ud)->writes = true; }
static void redis_del_write(void *ud) {
    redis_line *line = (redis_line *)ud;
    line->writes = false;
    watch(line->conn->c.fd, line->which, EPOLLIN);
}
static void redis_nothing(void *ud) { (void)ud; }
static void redis_write(void) {
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        redis_line *line = &redis_lines[i];
        if (!line->writes) continue;
        redisAsyncHandleWrite(line->conn);
        if (line->conn->err) bench_die("redis", line->conn->errstr);
        if (line->writes) watch(line->conn->c.fd, i, EPOLLIN | EPOLLOUT);
    }
}
static void redis_turn(void) {
    struct epoll_event ready[BENCH_CONNECTIONS];
    int count = wait_for_some(ready);
    for (int i = 0; i < count; i++) {
        redis_line *line = &redis_lines[ready[i].data.u32];
        redisAsyncHandleRead(line->conn);
        if (line->conn->err) bench_die("redis", line->conn->errstr);
    }
    redis_write();
}
static void redis_ask(int who);
static void redis_got(redisAsyncContext *conn, void *reply, void *ud) {
    int who = (int)(intptr_t)ud;
    redisReply *r = (redisReply *)reply;
    (void)conn;
    if (r == NULL || r->type != REDIS_REPLY_STRING) bench_die("GET", r != NULL && r->str != NULL ? r->str : "no reply");
    bench_user(r->str, 0); /* the reply is freed by hiredis */
    bench_answered(redis_who[who].from);
    redis_done++;
    redis_who[who].from = bench_ns();
    if (redis_next < redis_n) redis_ask(who);
}
static void redis_ask(int who) {
    const char *words[2];
    size_t sizes[2];
    int count = redis_words(bench_id(redis_next++), words, sizes);
    if (redisAsyncCommandArgv(redis_who[who].line->conn, redis_got, (void *)(intptr_t)who, count, words, sizes) != REDIS_OK) bench_die("redis", "GET");
}
static void redis_ready(redisAsyncContext *conn, void *reply, void *ud) {
    redisReply *r = (redisReply *)reply;
    (void)ud;
    if (r == NULL || r->type != REDIS_REPLY_STATUS) bench_die("redis", r != NULL && r->str != NULL ? r->str : conn->errstr);
    redis_done++;
}
static void redis_lines_open(void) {
    redis_done = 0;
    for (int i = 0; i < BENCH_CONNECTIONS; i++) {
        redis_line *line = &redis_lines[i];
        redisAsyncContext *conn = redisAsyncConnectUnix(bench_plain("socket"));
        if (conn == NULL || conn->err) bench_die("redis", conn != NULL ? conn->errstr : "no memory");
        line->conn = conn;
        line->which = i;
        conn->ev.data = line;
        conn->ev.addRead = redis_add_read;
        conn->ev.addWrite = redis_add_write;
        conn->ev.delWrite = redis_del_write;
        conn->ev.delRead = conn->ev.cleanup = redis_nothing;
        redis_add_read(line);
        redisAsyncCommand(conn, redis_ready, NULL, "AUTH %s %s", bench_plain("user"), bench_plain("password"));
        redisAsyncCommand(conn, redis_ready, NULL, "SELECT %s", bench_plain("dbname"));
    }
    redis_write();
    while (redis_done < 2 * BENCH_CONNECTIONS) redis_turn();
}
static void redis_lines_close(void) {
    for (int i = 0; i < BENCH_CONNECTIONS; i++) redisAsyncFree(redis_lines[i].conn);
}
static void redis_lines_run(long n) {
    redis_next = redis_done = 0;
    redis_n = n;
    for (int who = 0; who < BENCH_FLIGHT && redis_next < n; who++) {
        redis_who[who].line = &redis_lines[who % BENCH_CONNECTIONS];
        redis_who[who].from = bench_ns();
        redis_ask(who);
    }
    redis_write();
    while (redis_done < n) redis_turn();
}
#endif
#endif
