/* A small HTTP service on libuv, in one thread: GET /item/17 is answered from Redis, else from PostgreSQL, which leaves it in Redis for a minute. Each request
 * is a task; thousands of clients share the few connections of two pools, and none of them waits for another.
 *     cc async_libuv.c -I.. -I/usr/include/postgresql -luv -lpq -linih -lpthread -o async_libuv
 *     ./async_libuv 8080              and elsewhere: wrk -c 64 -d 10 http://127.0.0.1:8080/item/17
 * It ends with SIGINT or SIGTERM. Without a port it asks itself for some thousand pages, and ends. The servers are those of POSTGRESQL_URL and REDIS_URL. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_POSTGRESQL
#define DBM_WITH_REDIS
#define DBM_WITH_INI
#define DBM_WITH_LIBUV
#include "dbm.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { ITEMS = 1000, TTL = 60, VISITORS = 16, PAGES = 3000 };
static uv_loop_t *uv;
static uv_tcp_t listener;
static uv_signal_t signals[2];
static dbm_manager *mgr;
static dbm_loop *loop;
static struct { long requests, hits, misses, not_found, failures, open, most; } counts;

/* ---- one client ------------------------------------------------------------------------------------------------------------ */

typedef struct client {
    uv_tcp_t tcp;
    uv_write_t write;
    char in[2048], out[512];
    size_t size;
    bool busy, gone;             /* a request is being answered; the peer has left */
    dbm_task_handle task;
    /* What the task keeps across its awaits. */
    dbm_session cache, store;
    dbm_row *row;
    dbm_status rc;
    int id;
    bool keep, cached;
    char name[64];
} client;

static void next_request(client *c);

static void closed(uv_handle_t *handle) {
    counts.open--;
    free(handle->data);
}
static void leave(client *c) {
    if (c->gone) return;
    c->gone = true;
    if (c->task.loop != NULL) (void)dbm_task_cancel(c->task); /* answered() comes all the same, and closes */
    else if (!uv_is_closing((uv_handle_t *)&c->tcp)) uv_close((uv_handle_t *)&c->tcp, closed);
}

static void written(uv_write_t *write, int status) {
    client *c = write->data;
    c->busy = false;
    if (c->gone || status < 0 || !c->keep) {
        c->gone = true;
        if (!uv_is_closing((uv_handle_t *)&c->tcp)) uv_close((uv_handle_t *)&c->tcp, closed);
    } else {
        next_request(c);
    }
}
static void answer(client *c, const char *status, const char *text) {
    uv_buf_t buf;
    int n = snprintf(c->out, sizeof c->out, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s", status, (int)strlen(text),
                     c->keep ? "keep-alive" : "close", text);
    buf = uv_buf_init(c->out, (unsigned)n);
    c->write.data = c;
    if (c->gone || uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, written) != 0) written(&c->write, UV_ECANCELED);
}

/* ---- one request ------------------------------------------------------------------------------------------------------------ */

/* A cache that is down makes a page slower, never wrong: its failures are tried, not awaited. */
static dbm_task_status page(dbm_task *t) {
    client *c = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session(t, "cache", &c->cache));
    DBM_TRY_AWAIT(t, &c->rc, dbm_async_redis_command(&c->cache, &c->row, "GET async_libuv:%d", c->id));
    if (c->rc == DBM_OK && c->row != NULL && !dbm_row_is_null(c->row, 0)) {
        snprintf(c->name, sizeof c->name, "%s\n", dbm_row_text(c->row, 0));
        c->cached = true;
        return DBM_TASK_DONE;
    }
    DBM_AWAIT(t, dbm_async_session_opt(t, "store", &c->store, .autocommit = 1));
    DBM_AWAIT(t, dbm_async_query_one(&c->store, &c->row, "SELECT name FROM async_libuv_item WHERE id = ?", c->id));
    snprintf(c->name, sizeof c->name, "%s\n", dbm_row_text(c->row, 0));
    DBM_AWAIT(t, dbm_async_end(&c->store)); /* its connection is somebody else's while Redis is told */
    DBM_TRY_AWAIT(t, &c->rc, dbm_async_redis_command(&c->cache, NULL, "SET async_libuv:%d %s EX %d", c->id, dbm_textn(c->name, strlen(c->name) - 1), TTL));
    DBM_TASK_END(t);
}

static void answered(void *ud, dbm_status status, const dbm_error_info *error) {
    client *c = ud;
    c->task.loop = NULL; /* it has ended */
    if (status == DBM_OK) {
        if (c->cached) counts.hits++;
        else counts.misses++;
        answer(c, "200 OK", c->name);
    } else if (status == DBM_E_NOT_FOUND) {
        counts.not_found++;
        answer(c, "404 Not Found", "there is no such item\n");
    } else {
        if (status != DBM_E_CANCELLED && status != DBM_E_CLOSED) {
            if (counts.failures++ < 10) fprintf(stderr, "%s\n", error->message);
        }
        answer(c, "503 Service Unavailable", "come back later\n");
    }
}

/* Enough of HTTP for browsers, curl and wrk: GET without a body, one after the other on a connection. */
static void next_request(client *c) {
    char *end = strstr(c->in, "\r\n\r\n");
    size_t size;
    if (c->busy || c->gone) return;
    if (end == NULL) {
        if (c->size == sizeof c->in - 1) leave(c);
        return;
    }
    *end = 0;
    counts.requests++;
    c->busy = true;
    c->cached = false;
    c->keep = strstr(c->in, "HTTP/1.1") != NULL && strstr(c->in, "Connection: close") == NULL;
    c->id = strncmp(c->in, "GET /item/", 10) == 0 ? atoi(c->in + 10) : 0;
    size = (size_t)(end + 4 - c->in);
    memmove(c->in, c->in + size, c->size - size + 1);
    c->size -= size;
    if (c->id <= 0) {
        answer(c, "404 Not Found", "GET /item/NUMBER\n");
        return;
    }
    c->task = dbm_spawn_opt(loop, page, c, .deadline_ms = 5000, .on_end = answered, .on_end_ud = c);
    if (c->task.loop == NULL) answer(c, "503 Service Unavailable", "no memory\n");
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    client *c = handle->data;
    (void)suggested;
    *buf = uv_buf_init(c->in + c->size, (unsigned)(sizeof c->in - 1 - c->size));
}
static void received(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    client *c = stream->data;
    (void)buf;
    if (n < 0) {
        leave(c);
        return;
    }
    c->size += (size_t)n;
    c->in[c->size] = 0;
    next_request(c);
}
static void connected(uv_stream_t *stream, int status) {
    client *c;
    if (status < 0 || (c = calloc(1, sizeof *c)) == NULL) return;
    (void)uv_tcp_init(uv, &c->tcp);
    c->tcp.data = c;
    if (++counts.open > counts.most) counts.most = counts.open;
    if (uv_accept(stream, (uv_stream_t *)&c->tcp) != 0 || uv_read_start((uv_stream_t *)&c->tcp, give_room, received) != 0) leave(c);
    (void)uv_tcp_nodelay(&c->tcp, 1);
}

/* ---- visitors of its own ------------------------------------------------------------------------------------------------------ */

typedef struct visitor { uv_tcp_t tcp; uv_connect_t connect; uv_write_t write; char out[128], in[1024]; size_t size; int number, asked; } visitor;
static struct sockaddr_in here;
static visitor visitors[VISITORS];
static long pages, wrong, visiting;

static void close_listener(void) {
    int i;
    if (!uv_is_closing((uv_handle_t *)&listener)) uv_close((uv_handle_t *)&listener, NULL);
    for (i = 0; i < 2; i++) if (!uv_is_closing((uv_handle_t *)&signals[i])) uv_close((uv_handle_t *)&signals[i], NULL);
}
static void visitor_gone(uv_handle_t *handle) {
    (void)handle;
    if (--visiting == 0) close_listener();
}
static void visit(visitor *v) {
    uv_buf_t buf;
    int id = 1 + (v->number * 7 + v->asked++ * 13) % (ITEMS / 4);
    if (v->asked > PAGES / VISITORS) {
        uv_close((uv_handle_t *)&v->tcp, visitor_gone);
        return;
    }
    buf = uv_buf_init(v->out, (unsigned)snprintf(v->out, sizeof v->out, "GET /item/%d HTTP/1.1\r\nHost: here\r\n\r\n", v->asked % 50 == 0 ? 1000000 + id : id));
    v->size = 0;
    if (uv_write(&v->write, (uv_stream_t *)&v->tcp, &buf, 1, NULL) != 0) uv_close((uv_handle_t *)&v->tcp, visitor_gone);
}
static void visitor_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    visitor *v = handle->data;
    (void)suggested;
    *buf = uv_buf_init(v->in + v->size, (unsigned)(sizeof v->in - 1 - v->size));
}
static void visitor_reads(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    visitor *v = stream->data;
    const char *text;
    char wanted[64];
    (void)buf;
    if (n < 0) {
        wrong++;
        uv_close((uv_handle_t *)&v->tcp, visitor_gone);
        return;
    }
    v->size += (size_t)n;
    v->in[v->size] = 0;
    text = strstr(v->in, "\r\n\r\n");
    if (text == NULL || strchr(text, '\n') == NULL || v->in[v->size - 1] != '\n' || strlen(text) <= 4) return;
    pages++;
    if (v->asked % 50 == 0) snprintf(wanted, sizeof wanted, "there is no such item\n");
    else snprintf(wanted, sizeof wanted, "item number %d\n", 1 + (v->number * 7 + (v->asked - 1) * 13) % (ITEMS / 4));
    if (strcmp(text + 4, wanted) != 0) wrong++;
    visit(v);
}
static void visitor_connected(uv_connect_t *connect, int status) {
    visitor *v = connect->data;
    if (status != 0 || uv_read_start((uv_stream_t *)&v->tcp, visitor_room, visitor_reads) != 0) uv_close((uv_handle_t *)&v->tcp, visitor_gone);
    else visit(v);
}

/* ---- the program ---------------------------------------------------------------------------------------------------------------- */

static void interrupted(uv_signal_t *handle, int number) {
    (void)handle;
    (void)number;
    close_listener();
    uv_stop(uv);
}
static void close_client(uv_handle_t *handle, void *ud) {
    (void)ud;
    if (handle->type == UV_TCP && handle->data != NULL && !uv_is_closing(handle)) leave(handle->data);
}
static int failed(void) {
    fprintf(stderr, "%s\n", dbm_last_error()->message);
    dbm_loop_free(loop);
    dbm_manager_free(mgr);
    return 1;
}

int main(int argc, char **argv) {
    static const char config[] =
        "[databases.store]\nurl = ${POSTGRESQL_URL:-postgresql://localhost/postgres}\npool_size = 8\n"
        "[databases.cache]\nurl = ${REDIS_URL:-redis://localhost:6379/0}\npool_size = 8\n";
    dbm_database *store;
    int port = argc > 1 ? atoi(argv[1]) : 0, i, size = (int)sizeof here;
    uv = uv_default_loop();
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_load_text(mgr, config, SIZE_MAX) != DBM_OK || dbm_init_all(mgr) != DBM_OK
        || (store = dbm_get(mgr, "store")) == NULL || dbm_loop_on_uv(&loop, mgr, uv, NULL) != DBM_OK) {
        return failed();
    }
    if (dbm_exec(store, "DROP TABLE IF EXISTS async_libuv_item") != DBM_OK
        || dbm_exec(store, "CREATE TABLE async_libuv_item (id INTEGER PRIMARY KEY, name TEXT NOT NULL)") != DBM_OK
        || dbm_exec(store, "INSERT INTO async_libuv_item SELECT i, 'item number ' || i FROM generate_series(1, ?) AS g(i)", ITEMS) != DBM_OK) {
        return failed();
    }
    for (i = 1; i <= ITEMS; i++) (void)dbm_redis_command(dbm_get(mgr, "cache"), "DEL async_libuv:%d", i);
    (void)uv_tcp_init(uv, &listener);
    (void)uv_ip4_addr("127.0.0.1", port, &here);
    if (uv_tcp_bind(&listener, (const struct sockaddr *)&here, 0) != 0 || uv_listen((uv_stream_t *)&listener, 511, connected) != 0) {
        fprintf(stderr, "127.0.0.1:%d can't be listened on\n", port);
        return dbm_loop_free(loop), dbm_manager_free(mgr), 1;
    }
    (void)uv_tcp_getsockname(&listener, (struct sockaddr *)&here, &size);
    for (i = 0; i < 2; i++) {
        (void)uv_signal_init(uv, &signals[i]);
        (void)uv_signal_start(&signals[i], interrupted, i == 0 ? SIGINT : SIGTERM);
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(here.sin_port));
    (void)fflush(stdout);
    for (i = 0; i < VISITORS && argc <= 1; i++) {
        visitor *v = &visitors[i];
        v->number = i;
        v->connect.data = v->tcp.data = v;
        (void)uv_tcp_init(uv, &v->tcp);
        v->tcp.data = v;
        if (uv_tcp_connect(&v->connect, &v->tcp, (const struct sockaddr *)&here, visitor_connected) == 0) visiting++;
    }
    uv_run(uv, UV_RUN_DEFAULT); /* until the listener is closed and all clients have gone, or a signal */
    dbm_loop_free(loop);        /* what is under way ends, with E_CLOSED; then its clients can be closed */
    if (argc > 1) uv_walk(uv, close_client, NULL);
    uv_run(uv, UV_RUN_DEFAULT);
    if (uv_loop_close(uv) != 0) fprintf(stderr, "libuv has handles that were not closed\n");
    printf("%ld requests: %ld from Redis, %ld from PostgreSQL, %ld of no item, %ld failed; %ld clients at once\n", counts.requests, counts.hits, counts.misses,
           counts.not_found, counts.failures, counts.most);
    if (argc <= 1) printf("%ld pages were visited, %ld were wrong\n", pages, wrong);
    dbm_exec(store, "DROP TABLE async_libuv_item");
    dbm_manager_free(mgr);
    return wrong == 0 && counts.failures == 0 && (argc > 1 || pages == PAGES / VISITORS * VISITORS) ? 0 : 1;
}
