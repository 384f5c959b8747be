/* The PostgreSQL adapter against a server that lies: one byte of its answers is another one, in every place, or it closes at that byte, or says something in
 * between that nobody has asked for. Whatever comes of it: no crash, no read outside of what came, no wait without end, no memory left behind. */
#include "dbm_test.h"
#include "servers/test_servers.h" /* by this line run.sh knows what is to be built in; the server is one of the test's own */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* ---- the server --------------------------------------------------------------------------------------------------------------- */

enum { NOTHING = 0, CLOSES, SETS, PUTS }; /* what it does at byte `at` of what it says after the connect */
enum { COMMAND = 0, QUERY, INSERT, MANY };
typedef struct liar {
    pthread_t thread;
    int listener, port, how, byte;
    long at, length;             /* length: of all answers of the longest connection */
    bool stop;
} liar;
static liar all;
typedef struct answers {         /* of one connection */
    long said;
    struct { char name[32]; int kind; } known[64];
    int count;
    char out[65536];
    size_t size;
    int bound, portal;           /* kinds */
    long left;                   /* rows of the portal */
} answers;
static __thread answers it;

static void say(const char *data, size_t size) {
    if (size == 0 || it.size + size > sizeof it.out) return;
    memcpy(it.out + it.size, data, size);
    it.size += size;
}
static void say_message(char type, const char *body, size_t size) {
    char head[5] = { type, (char)((size + 4) >> 24), (char)((size + 4) >> 16), (char)((size + 4) >> 8), (char)(size + 4) };
    say(head, 5);
    say(body, size);
}
static void say_text(char type, const char *text) { say_message(type, text, strlen(text) + 1); }

/* Sends what was put together, with what is wrong in it. */
static bool flush(int fd) {
    size_t i;
    bool close_it = false;
    for (i = 0; i < it.size; i++) {
        if (all.how == NOTHING || it.said + (long)i != all.at) continue;
        if (all.how == CLOSES) {
            it.size = i;
            close_it = true;
        } else if (all.how == SETS) {
            it.out[i] = (char)all.byte;
        } else if (it.size + 6 < sizeof it.out) {
            static const char junk[3][6] = { { 'D', 0, 0, 0, 5, 1 }, { 'Z', 0, 0, 0, 5, 'I' }, { 'E', 0, 0, 0, 5, 0 } };
            memmove(it.out + i + 6, it.out + i, it.size - i);
            memcpy(it.out + i, junk[all.byte % 3], 6);
            it.size += 6;
        }
        break;
    }
    it.said += (long)it.size;
    if (it.said > __atomic_load_n(&all.length, __ATOMIC_SEQ_CST)) __atomic_store_n(&all.length, it.said, __ATOMIC_SEQ_CST);
    i = 0;
    while (i < it.size) {
        ssize_t n = send(fd, it.out + i, it.size - i, MSG_NOSIGNAL);
        if (n <= 0) return false;
        i += (size_t)n;
    }
    it.size = 0;
    return !close_it;
}

static int kind_of(const char *sql) { return strstr(sql, "FROM many") != NULL ? MANY : strncmp(sql, "SELECT", 6) == 0 ? QUERY : strncmp(sql, "INSERT", 6) == 0 ? INSERT : COMMAND; }

static void say_rows(long rows) {
    static const char row[] = "\0\3\0\0\0\2" "17" "\0\0\0\5" "hello" "\377\377\377\377";
    while (rows-- > 0) say_message('D', row, sizeof row - 1);
}

/* One message of the client's. */
static bool hear(int fd, char type, const char *body) {
    static const char columns[] = "\0\3" "n\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0" "t\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"
                                  "b\0\0\0\0\0\0\0\0\0\0\21\377\377\377\377\377\377\0\0";
    const char *second = body + strlen(body) + 1;
    int i;
    switch (type) {
    case 'P':
        for (i = 0; i < it.count && strcmp(it.known[i].name, body) != 0; i++) {}
        if (i == it.count && it.count < 64) it.count++;
        (void)snprintf(it.known[i].name, sizeof it.known[i].name, "%.31s", body);
        it.known[i].kind = kind_of(second);
        say_message('1', NULL, 0);
        break;
    case 'B':
        it.bound = COMMAND;
        for (i = 0; i < it.count; i++) if (strcmp(it.known[i].name, second) == 0) it.bound = it.known[i].kind;
        it.portal = it.bound;
        it.left = it.portal == MANY ? 200 : 2;
        say_message('2', NULL, 0);
        break;
    case 'D':
        if (it.portal == COMMAND) say_message('n', NULL, 0);
        else say_message('T', columns, sizeof columns - 1);
        break;
    case 'E': {
        long most = (unsigned char)second[2] << 8 | (unsigned char)second[3], n;
        if (it.portal == COMMAND) {
            say_text('C', "BEGIN");
            break;
        }
        n = most > 0 && most < it.left ? most : it.left;
        say_rows(n);
        it.left -= n;
        if (it.left > 0) say_message('s', NULL, 0);
        else say_text('C', it.portal == INSERT ? "INSERT 0 2" : "SELECT 2");
        break;
    }
    case 'C': say_message('3', NULL, 0); break;
    case 'Q': say_text('C', "COMMIT"); /* fall through */
    case 'S':
        say_message('Z', "T", 1);
        return flush(fd);
    case 'H': return flush(fd);
    case 'X': return false;
    default: break;
    }
    return true;
}

static bool read_all(int fd, char *to, size_t size) {
    while (size > 0) {
        ssize_t n = recv(fd, to, size, 0);
        if (n <= 0) return false;
        to += n;
        size -= (size_t)n;
    }
    return true;
}
static uint32_t get32(const char *at) {
    const unsigned char *p = (const unsigned char *)at;
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static void serve(int fd) {
    char head[5], body[4096];
    uint32_t size;
    if (!read_all(fd, head, 4) || (size = get32(head)) > sizeof body || !read_all(fd, body, size - 4) || get32(body) != 3u << 16) return; /* or a cancel */
    it.size = 0;
    it.count = 0;
    say_message('R', "\0\0\0\0", 4);
    say_message('S', "server_version\0" "15.4", 20);
    say_message('S', "client_encoding\0" "UTF8", 21);
    say_message('S', "TimeZone\0" "UTC", 13);
    say_message('K', "\0\0\0\1\0\0\0\2", 8);
    say_message('Z', "I", 1);
    it.said = -(long)it.size;
    if (!flush(fd)) return;
    while (read_all(fd, head, 5)) {
        size = get32(head + 1) - 4;
        memset(body, 0, sizeof body);
        if (size >= sizeof body - 8 || !read_all(fd, body, size) || !hear(fd, head[0], body)) break;
    }
}
static void *liar_serve(void *ud) {
    int fd = (int)(intptr_t)ud;
    serve(fd);
    (void)close(fd);
    return NULL;
}
static void *liar_run(void *ud) {
    (void)ud;
    for (;;) {
        pthread_t one;
        int fd = accept(all.listener, NULL, NULL);
        if (__atomic_load_n(&all.stop, __ATOMIC_SEQ_CST)) break;
        if (fd < 0) continue;
        if (pthread_create(&one, NULL, liar_serve, (void *)(intptr_t)fd) == 0) (void)pthread_detach(one);
    }
    return NULL;
}
static int liar_begin(void **state) {
    struct sockaddr_in at;
    socklen_t size = sizeof at;
    (void)state;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    all.listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(all.listener, (struct sockaddr *)&at, size) != 0 || listen(all.listener, 16) != 0 || getsockname(all.listener, (struct sockaddr *)&at, &size) != 0) return 1;
    all.port = ntohs(at.sin_port);
    return pthread_create(&all.thread, NULL, liar_run, NULL);
}
static int liar_end(void **state) {
    struct sockaddr_in at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    __atomic_store_n(&all.stop, true, __ATOMIC_SEQ_CST);
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons((uint16_t)all.port);
    (void)connect(fd, (struct sockaddr *)&at, sizeof at);
    (void)pthread_join(all.thread, NULL);
    (void)close(fd);
    return close(all.listener);
}

/* ---- the client ---------------------------------------------------------------------------------------------------------------- */

static test_heap heap;
static dbm_manager *mgr;
static long looked;              /* at rows */

/* Every byte of every value is looked at. */
static unsigned long look(dbm_row *row) {
    unsigned long sum = 0;
    int i;
    looked++;
    for (i = 0; i < dbm_row_columns(row); i++) {
        dbm_value v = dbm_row_value(row, i);
        if (v.type == DBM_TYPE_TEXT || v.type == DBM_TYPE_BLOB) for (size_t n = 0; n <= v.as.text.size; n++) sum += (unsigned char)v.as.text.data[n]; /* and the NUL */
        (void)dbm_row_name(row, i);
    }
    return sum;
}

/* Queued statements whose results are received, as src/async/ does it. */
static void queued(dbm_database *db) {
    dbm_connection c;
    dbm_op op;
    dbm_prepared p;
    dbm_value v = dbm_int(1), out;
    int run, i;
    dbm__connection_alone(&c, db);
    dbm__op_init(&op, DBM_OP_CONNECT, dbm__now(db->host) + 1000000);
    if (dbm__connection_made_alone(&c, dbm__op_run(&c, &op)) != DBM_OK) return;
    memset(&p, 0, sizeof p);
    dbm__op_init(&op, DBM_OP_PREPARE, INT64_MAX);
    p.sql = op.sql = "SELECT n, t, b FROM t WHERE n = $1";
    p.sql_size = op.sql_size = strlen(p.sql);
    p.returns_rows = true;
    op.prepared = &p;
    (void)dbm__op_run(&c, &op);
    for (run = 0; run < 3 && !c.broken; run++) {
        for (i = 0; i < 3; i++) {
            dbm__op_init(&op, DBM_OP_EXECUTE, dbm__now(db->host) + (all.how == NOTHING ? 10000000 : 60000));
            op.sql = p.sql;
            op.sql_size = p.sql_size;
            op.prepared = &p;
            op.values = &v;
            op.value_count = 1;
            op.no_wait = op.reply = true;
            op.alone = i != 1;
            op.row_buffer = 10000;
            if (dbm__op_run(&c, &op) != DBM_OK || c.broken) break;
        }
        for (i = 0; i < 3 && !c.broken; i++) {
            dbm__op_init(&op, DBM_OP_RECEIVE, dbm__now(db->host) + (all.how == NOTHING ? 10000000 : 60000));
            if (dbm__op_run(&c, &op) != DBM_OK || op.result == NULL) continue;
            for (dbm_status st = op.row ? DBM_OK : DBM_DONE; st == DBM_OK; st = dbm__op_run(&c, &op)) {
                for (int k = 0; k < op.columns; k++) if (db->adapter->column(&c, &op, k, &out) == DBM_OK) (void)db->adapter->column_name(&c, &op, k);
                looked++;
                op.kind = DBM_OP_FETCH;
            }
            op.kind = DBM_OP_FINISH;
            (void)dbm__op_run(&c, &op);
        }
    }
    dbm__op_init(&op, DBM_OP_UNPREPARE, INT64_MAX);
    op.prepared = &p;
    (void)dbm__op_run(&c, &op);
    dbm__connection_close(&c, c.broken ? DBM_DISCONNECT_BROKEN : DBM_DISCONNECT_POLITE);
}

/* All that goes the short way, three times: unknown, prepared, known. */
static void sessions(dbm_database *db) {
    unsigned long sum = 0;
    dbm_status rc;
    int run;
    for (run = 0; run < 3; run++) {
        DBM_SESSION_ON(db, s) {
            dbm_row *row;
            if (dbm_query_one(s, &row, "SELECT n, t, b FROM t WHERE n = ?", 1) == DBM_OK) sum += look(row);
            DBM_EACH(s, r, "SELECT n, t, b FROM many WHERE n > ?", 1) sum += look(r);
            for (int i = 0; i < 3; i++) (void)dbm_send(s, "INSERT INTO t VALUES (?) RETURNING n", i);
            DBM_SAVEPOINT(s) (void)dbm_exec(s, "INSERT INTO t VALUES (?)", 1);
        }
        DBM_SESSION_OPT(mgr, NULL, s, .autocommit = true, .status = &rc) {
            DBM_EACH(s, r, "SELECT n, t, b FROM t") { sum += look(r); break; }
            (void)dbm_send(s, "INSERT INTO t VALUES (?)", 5);
        }
    }
    (void)sum;
}


static void quiet(void *ud, dbm_log_level level, int event_id, const char *database, const char *text) {
    (void)ud; (void)level; (void)event_id; (void)database; (void)text;
}
static void once(int how, long at, int byte, void (*what)(dbm_database *db)) {
    dbm_options options;
    dbm_config config;

    char url[80];
    long began = test_now_ms();
    all.how = how;
    all.at = at;
    all.byte = byte;
    memset(&options, 0, sizeof options);
    options.allocator = test_heap_allocator(&heap);
    options.no_env = true;
    options.log = quiet;
    memset(&config, 0, sizeof config);
    (void)snprintf(url, sizeof url, "postgresql://u@127.0.0.1:%d/d", all.port);
    config.url = url;
    config.tls = DBM_TLS_OFF;
    config.pool.size = 1;
    config.pool.max_overflow = -1;
    config.connect_timeout_ms = 2000;
    config.socket_timeout_ms = how == NOTHING ? 10000 : 30;
    assert_int_equal(dbm_manager_create(&mgr, &options), DBM_OK);
    assert_int_equal(dbm_add_database(mgr, &config), DBM_OK);
    if (dbm_init_all(mgr) == DBM_OK) what(dbm_get(mgr, NULL));
    dbm_manager_free(mgr);
    if (test_heap_live(&heap) != 0) fail_msg("%d at byte %ld, %d: %ld blocks are left", how, at, byte, test_heap_live(&heap));
    if (test_now_ms() - began > 20000) fail_msg("%d at byte %ld, %d: %ld ms", how, at, byte, test_now_ms() - began);
}

static void lies(void (*what)(dbm_database *db)) {
    static const int bytes[] = { 0, 255, 1, 'D', 'Z', 127, 'E', 3, 'T', 'C', 128, '2', 64 };
    long length, at;
    all.length = looked = 0;
    once(NOTHING, 0, 0, what);
    length = all.length;
    assert_true(looked == 3 * (what == sessions ? 1 + 200 + 1 : 3 * 2)); /* without lies, all goes well */
    /* The first answers byte by byte; then, where they are alike, in steps. */
    for (at = 0; at < length; at += at < 700 ? 1 : 37) {
        once(CLOSES, at, 0, what);
        once(SETS, at, bytes[at % 13], what);
        if (at % 3 == 0) once(PUTS, at, (int)(at / 3), what);
    }
}
static void in_sessions(void **state) {
    (void)state;
    lies(sessions);
}
static void when_queued(void **state) {
    (void)state;
    lies(queued);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(in_sessions), cmocka_unit_test(when_queued) };
    return cmocka_run_group_tests_name("postgresql hostile", tests, liar_begin, liar_end);
}
