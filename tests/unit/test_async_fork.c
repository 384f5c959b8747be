/* A process with a loop forks: the child has nothing of it, says so, and makes one of its own; the parent's goes on as if nothing had been. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "scripted.h"
#include <sys/wait.h>

static server *v;
static dbm_manager *mgr;
static dbm_database *db;
static dbm_loop *loop;
static dbm_listener *listener;
static int heard_ready, heard_gaps, told_count;
static pid_t child_of_a_task = -1;
typedef struct job { dbm_session s; int at, told; bool forks, of_child; dbm_status rc, status; } job;

static void on_end(void *ud, dbm_status status, const dbm_error_info *error) {
    job *x = (job *)ud;
    (void)error;
    x->told++;
    x->status = status;
    told_count++;
}
static void told(void *ud, dbm_status status) { (void)status; ++*(int *)ud; }
static void posted(void *ud) { (void)ud; }
static dbm_status slowly(void *ud) { (void)ud; pause_us(60000); return DBM_OK; }

static int noted;
static long began;
static dbm_task_status notes(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    noted++;
    DBM_TASK_END(t);
}
static dbm_task_status works(dbm_task *t) {
    job *x = (job *)dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_session_on(t, db, &x->s));
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    x->at = 1;
    if (x->forks) {
        (void)dbm_spawn(loop, notes, x); /* has its turn after this one */
        began = server_count(v, DBM_OP_COMMIT) + server_count(v, DBM_OP_ROLLBACK) + server_count(v, DBM_OP_EXECUTE);
        child_of_a_task = fork();
    }
    if (child_of_a_task == 0) { /* which returns into the loop */
        DBM_TRY_AWAIT(t, &x->rc, dbm_async_exec(&x->s, "write"));
        x->at = x->rc == DBM_E_FORKED ? 100 : 200;
        return DBM_TASK_DONE;
    }
    if (!x->of_child) DBM_AWAIT(t, dbm_async_call(t, slowly, NULL)); /* sanitizers do not let the child of a process with threads have some */
    DBM_AWAIT(t, dbm_async_exec(&x->s, "write"));
    x->at = 2;
    DBM_TASK_END(t);
}

/* ---- a listener ---- */

static dbm_step hears(dbm_connection *c, dbm_op *op) {
    link_t *l = (link_t *)dbm_adapter_data(c);
    char byte;
    if (op->kind != DBM_OP_LISTEN && op->kind != DBM_OP_NOTIFIED) return on_step(c, op);
    op->fd = l->fd[0];
    if (op->kind == DBM_OP_LISTEN) return DBM_STEP_DONE;
    return read(l->fd[0], &byte, 1) == 0 ? (dbm_adapter_fail(c, DBM_E_LOST, "", 0, "lost"), op->status = DBM_E_LOST, DBM_STEP_DONE) : DBM_STEP_READ;
}
static void on_heard(void *ud, const dbm_heard *heard) {
    (void)ud;
    if (heard->kind == DBM_HEARD_READY) heard_ready++;
    if (heard->kind == DBM_HEARD_GAP) heard_gaps++;
}

static void open_it(void) {
    static dbm_adapter adapter;
    dbm_config config;
    adapter = adapter_stepped;
    adapter.type = "heard";
    adapter.flags |= DBM_ADAPTER_LISTEN;
    adapter.step = hears;
    memset(&config, 0, sizeof config);
    config.pool.size = 2;
    config.pool.max_overflow = -1;
    heard_ready = heard_gaps = told_count = 0;
    v = server_make();
    mgr = server_manager(NULL);
    CHECK_STATUS(dbm_register(mgr, &adapter), DBM_OK);
    (void)snprintf(v->url, sizeof v->url, "heard://127.0.0.1/%d", v->index);
    config.url = v->url;
    db = server_add(mgr, v, "heard", &config);
    CHECK_STATUS(dbm_loop_create(&loop, mgr, NULL), DBM_OK);
    CHECK_STATUS(dbm_listen(loop, db, on_heard, NULL, &listener), DBM_OK);
    CHECK_STATUS(dbm_listen_to(listener, DBM_LISTEN_CHANNEL, "news"), DBM_OK);
    while (heard_ready == 0) (void)dbm_loop_step(loop, 50);
}
static void close_it(void) {
    dbm_loop_free(loop);
    CHECK(stats_of(db).out == 0 && stats_of(db).broken == 0 && heard_gaps == 0);
    CHECK_STATUS(dbm_close_all(mgr), DBM_OK);
    dbm_manager_free(mgr);
    CHECK(server_live(v) == 0);
    (void)server_end_all();
}

#define IS(x) do { if (!(x)) { fprintf(stderr, "in the child: %s:%d: %s; %s\n", __FILE__, __LINE__, #x, dbm_last_error()->message); _exit(1); } } while (0)

/* What can be tried with the loop in the child, and what goes on there by itself. */
static void child(dbm_loop *of_parent, dbm_task_handle h, job *x, bool frees) {
    job own = { 0 };
    dbm_session s = x->s;
    dbm_listener *l = NULL;
    int tells = 0;
    dbm_status rc;
    IS(dbm_loop_run(of_parent, 0) == DBM_E_FORKED);
    IS(dbm_loop_step(of_parent, 0) == DBM_E_FORKED);
    IS(dbm_spawn(of_parent, works, &own).loop == NULL && dbm_last_error()->status == DBM_E_FORKED);
    IS(dbm_task_cancel(h) == DBM_E_FORKED);
    IS(dbm_async_session_cb(of_parent, db, NULL, &own.s, told, &tells) == DBM_E_FORKED);
    IS(dbm_async_exec_cb(&s, told, &tells, "write") == DBM_E_FORKED);
    IS(dbm_listen(of_parent, db, on_heard, NULL, &l) == DBM_E_FORKED && l == NULL);
    IS(dbm_loop_post(of_parent, posted, NULL) == DBM_E_FORKED);
    dbm_loop_stop(of_parent);
    if (frees) {
        dbm_listen_end(listener);
        dbm_loop_free(of_parent);
    }
    IS(dbm_loop_create(&loop, mgr, NULL) == DBM_OK); /* works() takes its session from db, and so it makes a connection of this process */
    child_of_a_task = -1;
    own.of_child = true;
    IS(dbm_spawn_opt(loop, works, &own, .on_end = on_end, .on_end_ud = &own).loop != NULL);
    rc = dbm_loop_run(loop, 20000);
    if (rc != DBM_OK) fprintf(stderr, "%s, at %d, told %d\n", dbm_status_name(rc), own.at, own.told);
    IS(rc == DBM_OK);
    IS(own.told == 1 && own.status == DBM_OK && own.at == 2);
    dbm_loop_free(loop);
    if (frees) {
        IS(dbm_close_all(mgr) == DBM_OK);
        dbm_manager_free(mgr);
    }
    _exit(0);
}

static void ended_well(pid_t pid) {
    int status = -1;
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (status != 0) fail_msg("the child ended with %d", status);
}

static void between_turns(void **state) {
    (void)state;
    for (int frees = 0; frees < 2; frees++) {
        job x[4];
        dbm_task_handle h = { 0 };
        pid_t pid;
        memset(x, 0, sizeof x);
        open_it();
        for (int i = 0; i < 4; i++) h = dbm_spawn_opt(loop, works, &x[i], .on_end = on_end, .on_end_ud = &x[i]); /* two of them wait for a connection */
        while (x[0].at == 0 || x[1].at == 0) (void)dbm_loop_step(loop, 10); /* workers run */
        (void)fflush(NULL);
        pid = fork();
        if (pid == 0) child(loop, h, &x[0], frees);
        ended_well(pid);
        while (told_count < 4) CHECK(dbm_loop_step(loop, 10000) == DBM_OK);
        for (int i = 0; i < 4; i++) CHECK(x[i].told == 1 && x[i].status == DBM_OK && x[i].at == 2);
        dbm_listen_end(listener);
        CHECK_STATUS(dbm_loop_run(loop, 5000), DBM_OK);
        close_it();
    }
}

/* A task forks, and its child returns to the loop: nothing goes on there. */
static void in_a_task(void **state) {
    job x[3];
    (void)state;
    memset(x, 0, sizeof x);
    open_it();
    x[1].forks = true;
    (void)fflush(NULL);
    for (int i = 0; i < 3; i++) CHECK(dbm_spawn_opt(loop, works, &x[i], .on_end = on_end, .on_end_ud = &x[i]).loop != NULL);
    while (child_of_a_task < 0) {
        dbm_status st = dbm_loop_step(loop, 10000);
        if (child_of_a_task != 0) continue;
        IS(st == DBM_E_FORKED);
        IS(x[1].at == 100 && told_count == 0 && noted == 0);
        IS(dbm_loop_run(loop, -1) == DBM_E_FORKED);
        dbm_loop_free(loop);
        IS(server_count(v, DBM_OP_COMMIT) + server_count(v, DBM_OP_ROLLBACK) + server_count(v, DBM_OP_EXECUTE) == began && told_count == 0 && noted == 0);
        _exit(0);
    }
    ended_well(child_of_a_task);
    while (told_count < 3) CHECK(dbm_loop_step(loop, 10000) == DBM_OK);
    for (int i = 0; i < 3; i++) CHECK(x[i].told == 1 && x[i].status == DBM_OK && x[i].at == 2);
    dbm_listen_end(listener);
    CHECK_STATUS(dbm_loop_run(loop, 5000), DBM_OK);
    CHECK(noted == 1);
    child_of_a_task = -1;
    close_it();
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(between_turns), cmocka_unit_test(in_a_task) };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
