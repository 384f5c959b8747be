/* async/task.c: tasks over acts that end when the test says so: order, failures, children, cancellation, deadlines, the loop's end, sessions' ends, memory,
 * and 10,000 random schedules. */
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "dbm_test.h"

static test_heap heap;
static test_log the_log;
static dbm_manager *mgr;
static dbm_loop *loop;
static int64_t now_us;

static int64_t virtual_now(void *ud) {
    (void)ud;
    return now_us;
}

static struct scripted *under_way;
static int acts_begun, acts_reaped;

static int set_up(void **state) {
    dbm_options options;
    (void)state;
    under_way = NULL;
    acts_begun = acts_reaped = 0;
    memset(&options, 0, sizeof options);
    memset(&heap, 0, sizeof heap);
    test_log_clear(&the_log);
    options.allocator = test_heap_allocator(&heap);
    options.clock = virtual_now;
    options.log = test_log_hook;
    options.log_ud = &the_log;
    now_us = 1000000;
    if (dbm_manager_create(&mgr, &options) != DBM_OK || dbm_loop_create(&loop, mgr, NULL) != DBM_OK) return -1;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    dbm_loop_free(loop);
    dbm_manager_free(mgr);
    loop = NULL;
    if (test_heap_live(&heap) != 0) fprintf(stderr, "%ld blocks were not freed\n", test_heap_live(&heap));
    return test_heap_live(&heap) != 0;
}

/* Turns until nothing happens any more without the clock or an act of the test. */
static void turn(void) {
    for (int i = 0; i < 8; i++) (void)dbm_loop_step(loop, 0);
}
static void pass_ms(int ms) {
    now_us += (int64_t)ms * 1000;
    turn();
}
static dbm_task_stats_info stats(void) {
    dbm_task_stats_info s;
    dbm_task_stats(loop, &s);
    return s;
}

/* ---- acts that end when they are told to ---------------------------------------------------------------------------------------- */

typedef struct scripted {
    dbm_act act;
    struct scripted *next, **in;      /* those under way */
    int name;
    bool deaf;                        /* being stopped does not end it */
    int stops;
    void (*told)(struct scripted *s); /* of the callback form */
    void *ud;
} scripted;

static void scripted_end(scripted *s, dbm_status st) {
    *s->in = s->next;
    if (s->next != NULL) s->next->in = s->in;
    if (st > DBM_ROLLED_BACK) (void)dbm__fail(st, DBM_STAGE_STATEMENT, "base", "act.c:1", "act %d failed", s->name);
    dbm__act_done(&s->act, st);
}
static void scripted_stop(dbm_act *act) {
    scripted *s = (scripted *)act;
    assert_int_equal(s->stops++, 0);
    assert_false(act->done);
    if (!s->deaf || dbm__loop_ends(dbm__act_loop(act))) scripted_end(s, DBM_E_CANCELLED);
}
static void scripted_reap(dbm_act *act) {
    assert_true(act->done);
    acts_reaped++;
    dbm__loop_give(dbm__act_loop(act), act, sizeof(scripted));
}
static void scripted_tell(dbm_act *act) {
    if (((scripted *)act)->told != NULL) ((scripted *)act)->told((scripted *)act);
}
static const dbm__act_kind scripted_kind = { scripted_stop, NULL, scripted_reap };
static const dbm__act_kind scripted_called_kind = { scripted_stop, scripted_tell, scripted_reap };

static scripted *scripted_begin(dbm_loop *on, dbm_task *t, int name) {
    scripted *s = (scripted *)dbm__act_take(on, sizeof *s, "act.c:1");
    if (s == NULL) return NULL;
    s->name = name;
    s->next = under_way;
    s->in = &under_way;
    if (s->next != NULL) s->next->in = &s->next;
    under_way = s;
    acts_begun++;
    dbm__act_begin(&s->act, on, t, t != NULL ? &scripted_kind : &scripted_called_kind);
    return s;
}
static dbm_act *later(dbm_task *t, int name) {
    scripted *s = scripted_begin(dbm_task_loop(t), t, name);
    return s != NULL ? &s->act : NULL;
}
static dbm_act *deaf(dbm_task *t, int name) {
    dbm_act *act = later(t, name);
    if (act != NULL) ((scripted *)act)->deaf = true;
    return act;
}
/* Ends within the call. */
static dbm_act *at_once(dbm_task *t, int name, dbm_status st) {
    scripted *s = scripted_begin(dbm_task_loop(t), t, name);
    if (s != NULL) scripted_end(s, st);
    return s != NULL ? &s->act : NULL;
}
static scripted *find(int name) {
    for (scripted *s = under_way; s != NULL; s = s->next)
        if (s->name == name) return s;
    return NULL;
}
static void end(int name, dbm_status st) {
    assert_non_null(find(name));
    scripted_end(find(name), st);
    turn();
}

/* ---- what a task does is written down -------------------------------------------------------------------------------------------- */

static char trace[4096];
static void note(const char *format, ...) {
    size_t size = strlen(trace);
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(trace + size, sizeof trace - size, format, ap);
    va_end(ap);
}
static void check_trace(const char *file, int line, const char *want) {
    if (strcmp(trace, want) != 0) {
        fprintf(stderr, "%s:%d: it was   %s\n  instead of %s\n", file, line, trace, want);
        trace[0] = '\0';
        fail();
    }
    trace[0] = '\0';
}
#define TRACE(want) check_trace(__FILE__, __LINE__, want)

typedef struct frame {
    int i, n, rc;
    dbm_act *a, *b, *c;
    struct frame *of;
    dbm_task_fn fn;
} frame;

static int ends;
static dbm_status end_status;
static char end_message[sizeof dbm_last_error()->message];
static void on_end(void *ud, dbm_status st, const dbm_error_info *e) {
    (void)ud;
    ends++;
    end_status = st;
    (void)snprintf(end_message, sizeof end_message, "%s", e != NULL ? e->message : "");
    assert_int_equal(e == NULL ? DBM_OK : e->status, st);
    note("|%d", (int)st);
}
static dbm_task_handle run(dbm_task_fn fn, frame *x) {
    dbm_task_handle h = dbm_spawn_opt(loop, fn, x, .on_end = on_end);
    assert_non_null(h.loop);
    ends = 0;
    turn();
    return h;
}

/* ---- straight-line code ------------------------------------------------------------------------------------------------------------- */

static dbm_task_status straight(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    note("a");
    DBM_AWAIT(t, later(t, 1));
    note("b");
    DBM_AWAIT(t, later(t, 2)); note("c"); DBM_AWAIT(t, later(t, 3)); /* on one line */
    for (x->i = 0; x->i < 2; x->i++) {
        if (x->i == 1) DBM_AWAIT(t, later(t, 4));
        else DBM_AWAIT(t, at_once(t, 5, DBM_OK));
        note("%d", x->i);
    }
    DBM_TRY_AWAIT(t, &x->rc, later(t, 6));
    note("<%d>", x->rc);
    DBM_TRY_AWAIT(t, &x->rc, at_once(t, 6, DBM_DONE));
    note("<%d>", x->rc);
    DBM_AWAIT(t, at_once(t, 6, DBM_DONE)); /* not a failure */
    DBM_TASK_END(t);
}
static void test_straight(void **state) {
    frame x = { 0 };
    dbm_task_handle h;
    (void)state;
    h = dbm_spawn_opt(loop, straight, &x, .on_end = on_end);
    ends = 0;
    TRACE(""); /* not within the call */
    assert_int_equal(stats().running, 1);
    turn();
    TRACE("a");
    end(1, DBM_OK);
    TRACE("b");
    end(2, DBM_OK);
    TRACE("c");
    end(3, DBM_OK);
    TRACE("0");
    end(4, DBM_OK);
    TRACE("1");
    end(6, DBM_E_SQL);
    TRACE("<22><1>|0");
    assert_int_equal(ends, 1);
    assert_int_equal(stats().running, 0);
    assert_int_equal(stats().begun, 1);
    assert_int_equal(stats().failed, 0);
    assert_int_equal(dbm_loop_step(loop, 0), DBM_DONE); /* nothing holds it */
    assert_int_equal(dbm_task_cancel(h), DBM_OK);
    turn();
    assert_int_equal(dbm_loop_step(loop, 0), DBM_DONE);
}

/* ---- failures ------------------------------------------------------------------------------------------------------------------------- */

static dbm_task_status with_clean_up(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    note("a");
    DBM_AWAIT(t, later(t, 1));
    note("b");
    if (x->n == 1) return dbm_task_fail(t, DBM_E_CONSTRAINT);
    if (x->n == 2) return DBM_TASK_DONE;
    if (x->n == 3) return DBM_TASK_FAILED;
    if (x->n == 4) return DBM_TASK_WAITS;
    if (x->n == 5) return dbm_task_fail(t, DBM_OK);
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TRY_AWAIT(t, &x->rc, later(t, 2));
    note("<%d>", x->rc);
    DBM_AWAIT(t, later(t, 3));
    note("g");
    DBM_TASK_END(t);
}
static void test_failures(void **state) {
    frame x = { 0 };
    (void)state;
    (void)run(with_clean_up, &x); /* well */
    end(1, DBM_OK), end(2, DBM_OK), end(3, DBM_OK);
    TRACE("abf<0><0>g|0");
    (void)run(with_clean_up, &x); /* the body fails; the clean-up is undisturbed */
    end(1, DBM_E_SQL);
    TRACE("af<22>");
    end(2, DBM_E_LOST);
    end(3, DBM_OK);
    TRACE("<21>g|22");
    assert_string_equal(end_message, "act 1 failed");
    assert_int_equal(stats().failed, 1);
    (void)run(with_clean_up, &x); /* the clean-up fails alone */
    end(1, DBM_OK), end(2, DBM_OK), end(3, DBM_E_LOST);
    TRACE("abf<0><0>|21");
    assert_string_equal(end_message, "act 3 failed");
    (void)run(with_clean_up, &x); /* both: the first counts */
    end(1, DBM_E_SQL), end(2, DBM_OK), end(3, DBM_E_LOST);
    TRACE("af<22><0>|22");
    for (x.n = 1; x.n <= 5; x.n++) {
        static const char *const want[] = { "abf<23><0>g|23", "abf<0><0>g|0", "abf<4><0>g|4", "abf<4><0>g|4", "abf<4><0>g|4" };
        (void)run(with_clean_up, &x);
        end(1, DBM_OK), end(2, DBM_OK), end(3, DBM_OK);
        TRACE(want[x.n - 1]);
    }
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_TASK_FAILED), 0); /* somebody was told of each */
    x.n = 1;
    dbm_spawn(loop, with_clean_up, &x);
    turn();
    end(1, DBM_OK), end(2, DBM_OK), end(3, DBM_OK);
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_TASK_FAILED), 1);
    assert_non_null(strstr(test_log_text(&the_log), "test_task.c:"));
    trace[0] = '\0';
}

static dbm_act *somebody_elses;
static dbm_task_status lends(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    somebody_elses = later(t, 9);
    DBM_AWAIT(t, somebody_elses);
    DBM_TASK_END(t);
}
static dbm_task_status misuses(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (x->n == 0) {
        DBM_TRY_AWAIT(t, &x->rc, somebody_elses);
        note("<%d>", x->rc);
        x->a = later(t, 1);
        DBM_TRY_AWAIT(t, &x->rc, x->a);
        note("<%d>", x->rc);
        (void)dbm__fail(DBM_E_RANGE, DBM_STAGE_NONE, "", "", NULL);
        DBM_TRY_AWAIT(t, &x->rc, NULL); /* a call that could not begin */
        note("<%d>", x->rc);
        assert_null(dbm_async_task(t, NULL, x));
        assert_int_equal(dbm_last_error()->status, DBM_E_MISUSE);
        assert_null(dbm_async_call(t, NULL, x));
        assert_non_null(strstr(dbm_last_error()->message, "function"));
        DBM_AWAIT(t, dbm_async_sleep(t, -5)); /* the time has come already */
    } else {
        switch ((long long)x->n) {      /* compilers can't see this one */
        case 1: DBM_AWAIT(t, later(t, 2)); note("never"); break;
        default: break;
        }
    }
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TASK_END(t);
}
static void test_misuses(void **state) {
    frame x = { 0 }, y = { 0 };
    (void)state;
    (void)run(lends, &y);
    (void)run(misuses, &x);
    TRACE("<4>");
    end(1, DBM_OK);
    TRACE("<0><5>f<0>|0");
    end(9, DBM_OK);
    TRACE("|0");
    x.n = 1;
    (void)run(misuses, &x);
    end(2, DBM_OK);
    TRACE("f<4>|4");
    assert_non_null(strstr(end_message, "switch"));
    assert_int_equal(dbm_task_cancel(dbm_spawn(NULL, misuses, &x)), DBM_E_MISUSE);
    assert_null(dbm_spawn(loop, NULL, &x).loop);
}

/* ---- children ----------------------------------------------------------------------------------------------------------------------------- */

static dbm_task_status child(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    note("+%d", x->n);
    DBM_AWAIT(t, later(t, x->n));
    DBM_TASK_FINALLY(t);
    note("-%d<%d>", x->n, (int)dbm_task_outcome(t));
    DBM_TASK_END(t);
}
static frame kids[4];
static dbm_task_status parent(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (x->n == 0) { /* one after the other */
        for (x->i = 0; x->i < 2; x->i++) DBM_AWAIT(t, dbm_async_task(t, child, &kids[x->i]));
    } else if (x->n == 1) { /* side by side, in the order of the awaits */
        x->a = dbm_async_task(t, child, &kids[0]);
        x->b = dbm_async_task(t, child, &kids[1]);
        x->c = later(t, 9);
        DBM_TRY_AWAIT(t, &x->rc, x->b);
        note("b<%d>", x->rc);
        DBM_TRY_AWAIT(t, &x->rc, x->a);
        note("a<%d>", x->rc);
        DBM_AWAIT(t, x->c);
    } else if (x->n == 2) { /* together */
        for (x->i = 0; x->i < 3; x->i++) (void)dbm_async_task(t, child, &kids[x->i]);
        (void)later(t, 9);
        DBM_TRY_AWAIT(t, &x->rc, dbm_async_all(t));
        note("all<%d>", x->rc);
        DBM_AWAIT(t, dbm_async_all(t)); /* of nothing */
    } else if (x->n == 3) { /* not awaited, and the parent ends well */
        for (x->i = 0; x->i < 3; x->i++) (void)dbm_async_task(t, child, &kids[x->i]);
        (void)dbm_async_all(t);
    } else { /* not awaited, and the parent fails */
        for (x->i = 0; x->i < 3; x->i++) (void)dbm_async_task(t, child, &kids[x->i]);
        DBM_AWAIT(t, later(t, 9));
    }
    note("p");
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TASK_END(t);
}
static void test_children(void **state) {
    frame x = { 0 };
    (void)state;
    for (int i = 0; i < 4; i++) kids[i].n = i;
    (void)run(parent, &x);
    TRACE("+0");
    end(0, DBM_OK);
    TRACE("-0<0>+1");
    end(1, DBM_E_SQL); /* a child's failure is that of its await */
    TRACE("-1<22>f<22>|22");
    assert_string_equal(end_message, "act 1 failed");
    x.n = 1;
    (void)run(parent, &x);
    TRACE("+0+1");
    end(0, DBM_E_SQL);
    end(9, DBM_OK);
    TRACE("-0<22>");
    end(1, DBM_OK);
    TRACE("-1<0>b<0>a<22>pf<0>|0");
    x.n = 2;
    (void)run(parent, &x);
    end(0, DBM_OK), end(2, DBM_OK), end(9, DBM_OK);
    TRACE("+0+1+2-0<0>-2<0>");
    end(1, DBM_OK);
    TRACE("-1<0>all<0>pf<0>|0");
    (void)run(parent, &x); /* the failure of one ends the others */
    end(1, DBM_E_SQL);
    TRACE("+0+1+2-1<22>-2<18>-0<18>all<22>pf<0>|0");
    (void)run(parent, &x);
    end(9, DBM_E_SQL);
    TRACE("+0+1+2-2<18>-1<18>-0<18>all<22>pf<0>|0");
    x.n = 3;
    (void)run(parent, &x); /* nothing outlives its task */
    end(1, DBM_OK), end(2, DBM_OK);
    TRACE("p+0+1+2-1<0>-2<0>");
    end(0, DBM_OK);
    TRACE("-0<0>f<0>|0");
    (void)run(parent, &x); /* nor is its failure lost */
    end(1, DBM_E_SQL);
    TRACE("p+0+1+2-1<22>-2<18>-0<18>f<22>|22");
    assert_string_equal(end_message, "act 1 failed");
    x.n = 4;
    (void)run(parent, &x);
    find(1)->deaf = true;
    end(9, DBM_E_LOST);
    TRACE("+0+1+2-2<18>-0<18>");
    end(1, DBM_OK); /* that it could not be stopped in time does not make it fail where nobody asks it */
    TRACE("-1<18>f<21>|21");
    assert_int_equal(stats().running, 0);
}

/* A helper that uses its parent's session: what it begins is its own, to await and to wait for. */
static dbm_task *lender;
static dbm_task_status borrows(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, later(lender, 1));
    note("a");
    (void)later(lender, 2);
    DBM_TASK_FINALLY(t);
    note("b");
    DBM_TASK_END(t);
}
static dbm_task_status lends_its_own(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    lender = t;
    DBM_AWAIT(t, dbm_async_task(t, borrows, NULL));
    note("c");
    DBM_TASK_END(t);
}
static void test_borrowed(void **state) {
    frame x = { 0 };
    (void)state;
    (void)run(lends_its_own, &x);
    end(1, DBM_OK);
    TRACE("a");
    end(2, DBM_OK);
    TRACE("bc|0");
    (void)run(lends_its_own, &x);
    end(1, DBM_OK), end(2, DBM_E_SQL);
    TRACE("ab|22");
}

/* What somebody else begins for a task that waits for all is waited for, too. */
static dbm_task_status waits_for_more(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    lender = t;
    (void)later(t, 1);
    if (x->n) DBM_AWAIT(t, dbm_async_all(t));
    note("a");
    DBM_TASK_END(t);
}
static void test_more(void **state) {
    frame x = { 0 };
    (void)state;
    for (x.n = 0; x.n < 2; x.n++) {
        (void)run(waits_for_more, &x);
        assert_non_null(later(lender, 2));
        end(1, DBM_OK);
        TRACE(x.n ? "" : "a");
        end(2, DBM_OK);
        TRACE(x.n ? "a|0" : "|0");
    }
}

/* A helper's helper's helper: each awaits the next. */
static dbm_task_status chain(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (x->n > 0) DBM_AWAIT(t, dbm_async_task(t, chain, x - 1));
    else DBM_AWAIT(t, later(t, 1));
    x->i++;
    DBM_TASK_END(t);
}
static void test_chain(void **state) {
    enum { DEPTH = 20000 };
    frame *x = (frame *)calloc(DEPTH, sizeof *x);
    (void)state;
    assert_non_null(x);
    for (int i = 0; i < DEPTH; i++) x[i].n = i;
    (void)run(chain, &x[DEPTH - 1]);
    for (int i = 0; i < 1000 && find(1) == NULL; i++) turn();
    end(1, DBM_OK);
    for (int i = 0; i < 1000 && ends == 0; i++) turn();
    TRACE("|0");
    for (int i = 0; i < DEPTH; i++) assert_int_equal(x[i].i, 1);
    dbm_task_handle h = run(chain, &x[DEPTH - 1]);
    for (int i = 0; i < 1000 && find(1) == NULL; i++) turn();
    assert_int_equal(dbm_task_cancel(h), DBM_OK);
    for (int i = 0; i < 1000 && ends == 0; i++) turn();
    TRACE("|18");
    free(x);
}

/* ---- cancellation --------------------------------------------------------------------------------------------------------------------------- */

static int evaluated;
static dbm_act *counted(dbm_task *t, int name) {
    evaluated++;
    return later(t, name);
}
static dbm_task_status goes_on(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (x->a) (void)later(t, 8);
    DBM_TRY_AWAIT(t, &x->rc, x->n ? deaf(t, 1) : later(t, 1));
    note("<%d>", x->rc);
    DBM_TRY_AWAIT(t, &x->rc, counted(t, 2)); /* later awaits fail, and do not begin anything */
    note("<%d>", x->rc);
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_AWAIT(t, later(t, 3));
    note("g");
    DBM_TASK_END(t);
}
static dbm_task_status stubborn(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (;;) {
        DBM_TRY_AWAIT(t, &x->rc, later(t, 1));
        x->n++;
    }
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TASK_END(t);
}
static dbm_task_status waits_for_kids(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    (void)dbm_async_task(t, child, &kids[0]);
    (void)dbm_async_task(t, child, &kids[1]);
    if (x->n) DBM_AWAIT(t, dbm_async_all(t));
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TASK_END(t);
}
static void cancel(dbm_task_handle h) {
    assert_int_equal(dbm_task_cancel(h), DBM_OK);
    turn();
}
static void *cancel_there(void *ud) {
    assert_int_equal(dbm_task_cancel(*(dbm_task_handle *)ud), DBM_OK);
    return NULL;
}
static void test_cancel(void **state) {
    frame x = { 0 }, y = { 0 };
    dbm_task_handle h, other;
    pthread_t thread;
    (void)state;
    kids[0].n = 0, kids[1].n = 1;
    h = run(goes_on, &x);
    cancel(h);
    TRACE("<18><18>f<18>");
    cancel(h); /* the clean-up is not disturbed */
    end(3, DBM_OK);
    TRACE("g|18");
    assert_int_equal(evaluated, 0);
    x.n = 1; /* what can't be stopped is waited for, and its outcome stands */
    h = run(goes_on, &x);
    cancel(h);
    TRACE("");
    end(1, DBM_OK);
    TRACE("<0><18>f<18>");
    end(3, DBM_OK);
    TRACE("g|18");
    x.n = 0;
    x.a = &(dbm_act){ .status = DBM_OK }; /* with something that it does not await */
    h = run(goes_on, &x);
    cancel(h);
    end(3, DBM_OK);
    TRACE("<18><18>f<18>g|18");
    x.a = NULL;
    h = dbm_spawn_opt(loop, goes_on, &x, .on_end = on_end); /* before it began */
    cancel(h);
    end(3, DBM_OK);
    TRACE("<18><18>f<18>g|18");
    assert_string_equal(end_message, "the task was cancelled");
    other = run(goes_on, &y); /* in the same slot */
    assert_ptr_equal(other.slot, h.slot);
    cancel(h);
    TRACE("");
    h = run(goes_on, &x);
    assert_int_equal(pthread_create(&thread, NULL, cancel_there, &other), 0); /* by another thread */
    (void)pthread_join(thread, NULL);
    turn();
    end(3, DBM_OK);
    TRACE("<18><18>f<18>g|18");
    end(1, DBM_OK); /* has ended when the cancel comes: the await is over, and well */
    TRACE("<0>");
    evaluated = 0;
    end(2, DBM_OK);
    end(3, DBM_OK);
    TRACE("<0>f<0>g|0");
    h = run(goes_on, &x);
    scripted_end(find(1), DBM_OK);
    cancel(h);
    TRACE("<0><18>f<18>"); /* the await that has ended is told so; the cancel meets the next one */
    end(3, DBM_OK);
    TRACE("g|18");
    x.n = 0; /* one that does not want to end */
    h = run(stubborn, &x);
    cancel(h);
    TRACE("f<18>|18");
    assert_int_equal(x.n, 65);
    for (x.n = 0; x.n < 2; x.n++) { /* while it waits for all, at its end or before */
        h = run(waits_for_kids, &x);
        cancel(h);
        TRACE("+0+1-1<18>-0<18>f<18>|18");
    }
}

static dbm_task_status cancels_one(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    x->a = dbm_async_task(t, child, &kids[0]);
    DBM_AWAIT(t, later(t, 9));
    dbm_async_cancel(x->a);
    dbm_async_cancel(x->a);
    dbm_async_cancel(NULL);
    DBM_TRY_AWAIT(t, &x->rc, x->a);
    note("<%d>", x->rc);
    x->a = later(t, 8);
    dbm_async_cancel(x->a);
    DBM_AWAIT(t, x->a);
    DBM_TASK_END(t);
}
static void test_cancel_one(void **state) {
    frame x = { 0 };
    (void)state;
    kids[0].n = 0;
    (void)run(cancels_one, &x);
    end(9, DBM_OK);
    TRACE("+0-0<18><18>|18");
}

/* ---- deadlines -------------------------------------------------------------------------------------------------------------------------------- */

static dbm_task_status timed(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    if (x->n == 1) assert_int_equal(dbm_task_deadline(t, 50), DBM_OK);
    DBM_TRY_AWAIT_WITHIN(t, 10, &x->rc, later(t, 1));
    note("<%d>", x->rc);
    DBM_TRY_AWAIT_WITHIN(t, 10, &x->rc, deaf(t, 2));
    note("<%d>", x->rc);
    DBM_AWAIT_WITHIN(t, -1, dbm_async_sleep(t, 30));
    note("s");
    if (x->n == 2) assert_int_equal(dbm_task_deadline(t, -1), DBM_OK);
    DBM_AWAIT_WITHIN(t, 1000, x->n == 3 ? dbm_async_task(t, child, &kids[0]) : later(t, 3));
    note("t");
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TRY_AWAIT_WITHIN(t, 10, &x->rc, later(t, 4));
    note("<%d>", x->rc);
    DBM_TASK_END(t);
}
static dbm_task_status timed_alone(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_TRY_AWAIT_WITHIN(t, 10, &x->rc, deaf(t, 1));
    note("<%d>", x->rc);
    x->a = later(t, 2);
    dbm_async_cancel(x->a);
    DBM_TRY_AWAIT(t, &x->rc, x->a);
    note("<%d>", x->rc);
    DBM_AWAIT_WITHIN(t, 10, later(t, 3));
    DBM_AWAIT(t, later(t, 4));
    note("a");
    DBM_TASK_END(t);
}
/* A limit is that of one await. */
static void test_limit_of_one(void **state) {
    frame x = { 0 };
    (void)state;
    (void)run(timed_alone, &x);
    pass_ms(10);
    end(1, DBM_OK);
    TRACE("<0><18>");
    pass_ms(5);
    end(3, DBM_OK);
    pass_ms(50);
    TRACE("");
    end(4, DBM_OK);
    TRACE("a|0");
}

static void test_deadlines(void **state) {
    frame x = { 0 };
    (void)state;
    kids[0].n = 0;
    (void)run(timed, &x);
    pass_ms(9);
    TRACE("");
    pass_ms(1);
    TRACE("<17>");
    pass_ms(20);
    TRACE("");
    end(2, DBM_OK); /* that it was asked to end does not make it fail */
    TRACE("<0>");
    pass_ms(29);
    TRACE("");
    pass_ms(1);
    TRACE("s");
    end(3, DBM_OK);
    pass_ms(9);
    TRACE("tf<0>");
    pass_ms(1); /* in the clean-up, too */
    TRACE("<17>|0");
    x.n = 1;
    (void)run(timed, &x); /* of all of it */
    end(1, DBM_OK), end(2, DBM_OK);
    pass_ms(30);
    TRACE("<0><0>s");
    pass_ms(19);
    TRACE("");
    pass_ms(1);
    TRACE("f<17>");
    end(4, DBM_OK);
    TRACE("<0>|17");
    assert_non_null(strstr(end_message, "deadline"));
    x.n = 2; /* given at the start, and lifted */
    assert_non_null(dbm_spawn_opt(loop, timed, &x, .on_end = on_end, .deadline_ms = 50).loop);
    turn();
    end(1, DBM_OK), end(2, DBM_OK);
    pass_ms(30);
    pass_ms(100);
    end(3, DBM_OK), end(4, DBM_OK);
    TRACE("<0><0>stf<0><0>|0");
    x.n = 3; /* a child's await */
    assert_non_null(dbm_spawn_opt(loop, timed, &x, .on_end = on_end, .deadline_ms = 50).loop);
    turn();
    end(1, DBM_OK), end(2, DBM_OK);
    pass_ms(30);
    pass_ms(20);
    end(4, DBM_OK);
    TRACE("<0><0>s+0-0<18>f<17><0>|17");
}

/* A task that does not hear that it was cancelled, and has limits for what it does not begin any more; then clean-up that takes longer than they were. */
static dbm_task_status deaf_within(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (;;) {
        DBM_TRY_AWAIT_WITHIN(t, 10, &x->rc, later(t, 1));
        x->n++;
    }
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TRY_AWAIT(t, &x->rc, later(t, 2));
    note("<%d>", x->rc);
    DBM_TASK_END(t);
}
static void test_limit_of_none(void **state) {
    dbm_task_handle h;
    (void)state;
    for (int i = 0; i < 2; i++) {
        frame x = { 0 };
        if (i == 0) h = run(deaf_within, &x);
        else h = dbm_spawn(loop, deaf_within, &x);
        turn();
        assert_int_equal(dbm_task_cancel(h), DBM_OK);
        turn();
        assert_int_equal(x.rc, DBM_E_CANCELLED);
        assert_true(x.n > 60 && x.n < 70);
        TRACE("f<18>");
        pass_ms(100);
        assert_int_equal(find(2)->stops, 0);
        end(2, DBM_OK);
        TRACE(i == 0 ? "<0>|18" : "<0>");
        assert_int_equal(stats().running, 0);
    }
}
/* The same without having been given a limit before: the task has no place for one. */
static dbm_task_status deaf_from_the_start(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_TRY_AWAIT(t, &x->rc, later(t, 1));
    for (;;) {
        DBM_TRY_AWAIT_WITHIN(t, 10, &x->rc, later(t, 1));
        x->n++;
    }
    DBM_TASK_END(t);
}
static void test_limit_without_a_place(void **state) {
    frame x = { 0 };
    dbm_task_handle h = dbm_spawn(loop, deaf_from_the_start, &x);
    (void)state;
    turn();
    assert_int_equal(dbm_task_cancel(h), DBM_OK);
    turn();
    assert_int_equal(x.rc, DBM_E_CANCELLED);
    assert_int_equal(stats().running, 0);
}

/* Without memory for the list of times the loop goes on all the same, and the limit holds. */
static dbm_task_status timed_without_memory(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    x->a = later(t, 1);
    assert_int_equal(dbm_task_deadline(t, -1), DBM_OK);
    test_heap_fail_all(&heap, 1);
    assert_int_equal(dbm_task_deadline(t, 50), DBM_OK);
    DBM_AWAIT(t, x->a);
    DBM_TASK_END(t);
}
static void test_deadline_without_memory(void **state) {
    frame x = { 0 };
    (void)state;
    (void)run(timed_without_memory, &x);
    pass_ms(49);
    assert_int_equal(find(1)->stops, 0);
    pass_ms(1);
    test_heap_fail(&heap, 0);
    TRACE("|17");
}

/* ---- the loop's end ------------------------------------------------------------------------------------------------------------------------------ */

static int told;
static void scripted_told(scripted *s) {
    told++;
    note("!%d<%d>", s->name, (int)s->act.status);
    assert_int_equal(dbm_last_error()->status, s->act.status);
}
static dbm_task_status slow_clean_up(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    (void)dbm_async_task(t, child, &kids[0]);
    if (x->n) (void)dbm_task_cancel(*(dbm_task_handle *)(void *)x->of);
    DBM_AWAIT(t, later(t, 1));
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    DBM_TRY_AWAIT(t, &x->rc, later(t, 2));
    note("<%d>", x->rc);
    (void)dbm_async_task(t, child, &kids[1]); /* refused */
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_all(t));
    note("<%d>", x->rc);
    DBM_TASK_END(t);
}
static void spawn_again(void *ud, dbm_status st, const dbm_error_info *e) {
    on_end(ud, st, e);
    assert_null(dbm_spawn(loop, child, &kids[0]).loop);
    assert_int_equal(dbm_last_error()->status, DBM_E_CLOSED);
}
static void test_loop_ends(void **state) {
    frame x = { 0 }, y = { 0 }, z = { 0 };
    dbm_task_handle h, late;
    scripted *s;
    (void)state;
    kids[0].n = 3, kids[1].n = 4;
    late = h = dbm_spawn_opt(loop, slow_clean_up, &x, .on_end = spawn_again);
    turn();
    s = scripted_begin(loop, NULL, 7);
    s->told = scripted_told;
    assert_non_null(dbm_spawn(loop, goes_on, &y).loop); /* has not begun */
    TRACE("+3");
    assert_int_equal(dbm_task_cancel(h), DBM_OK); /* a cancel that the loop has not seen */
    dbm_loop_free(loop);
    loop = NULL;
    (void)late;
    TRACE("<19><19>f<19>!7<18>-3<19>f<19><19><19>|19");
    assert_int_equal(test_log_count(&the_log, DBM_EVENT_TASK_FAILED), 1);
    assert_int_equal(dbm_loop_create(&loop, mgr, NULL), DBM_OK); /* in its clean-up */
    h = run(slow_clean_up, &z);
    cancel(h);
    TRACE("+3-3<18>f<18>");
    dbm_loop_free(loop);
    loop = NULL;
    TRACE("<19><19>|18");
    assert_null(under_way);
}

/* ---- sessions, which end with their task ------------------------------------------------------------------------------------------------------------ */

typedef struct owned { dbm__owned of; int name; int how; } owned; /* how: 0: an act that ends later; 1: within the call; 2: none; 3: none, it failed */
static dbm_act *owned_end(dbm__owned *of, dbm_task *t, bool failed, dbm_status *st) {
    owned *o = (owned *)of;
    note("%c%d", failed ? 'r' : 'c', o->name);
    if (o->how == 0 && !dbm__loop_ends(dbm_task_loop(t))) return deaf(t, 100 + o->name); /* a cancel hurries it, but it ends as it must */
    if (o->how <= 1) return at_once(t, 100 + o->name, DBM_OK);
    *st = o->how == 3 ? dbm__fail(DBM_E_IN_DOUBT, DBM_STAGE_COMMIT, "base", "", NULL) : DBM_OK;
    return NULL;
}
static owned owneds[4];
static dbm_task_status owns(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (x->i = 0; x->i < 3; x->i++) {
        owneds[x->i].of.end = owned_end;
        dbm__task_owns(t, &owneds[x->i].of);
    }
    dbm__task_owns(t, &owneds[3].of);
    dbm__task_disowns(t, &owneds[3].of);
    dbm__task_disowns(t, &owneds[3].of);
    DBM_AWAIT(t, later(t, 1));
    DBM_TASK_FINALLY(t);
    note("f<%d>", (int)dbm_task_outcome(t));
    if (x->n) dbm__task_owns(t, &owneds[x->n].of);
    DBM_TRY_AWAIT(t, &x->rc, later(t, 2));
    DBM_TASK_END(t);
}
static void test_owned(void **state) {
    frame x = { 0 };
    dbm_task_handle h;
    (void)state;
    for (int i = 0; i < 4; i++) owneds[i].name = i;
    (void)run(owns, &x); /* in reverse, one after the other */
    end(1, DBM_OK);
    TRACE("c2");
    end(102, DBM_OK);
    TRACE("c1");
    end(101, DBM_OK), end(100, DBM_OK);
    TRACE("c0f<0>");
    end(2, DBM_OK);
    TRACE("|0");
    (void)run(owns, &x); /* the task failed */
    end(1, DBM_E_SQL), end(102, DBM_OK), end(101, DBM_OK), end(100, DBM_OK), end(2, DBM_OK);
    TRACE("r2r1r0f<22>|22");
    h = run(owns, &x); /* was cancelled */
    cancel(h);
    end(102, DBM_OK), end(101, DBM_E_LOST), end(100, DBM_OK), end(2, DBM_OK);
    TRACE("r2r1r0f<18>|18");
    (void)run(owns, &x); /* a commit fails: what is left is rolled back */
    end(1, DBM_OK), end(102, DBM_E_SERIALIZATION), end(101, DBM_OK), end(100, DBM_OK), end(2, DBM_OK);
    TRACE("c2r1r0f<24>|24");
    assert_string_equal(end_message, "act 102 failed");
    h = run(owns, &x); /* a cancel that comes when they commit is too late */
    end(1, DBM_OK);
    cancel(h);
    end(102, DBM_OK), end(101, DBM_OK), end(100, DBM_OK), end(2, DBM_OK);
    TRACE("c2c1c0f<0>|0");
    owneds[2].how = 1, owneds[1].how = 2, owneds[0].how = 3; /* ends that need not be waited for */
    x.n = 2;
    (void)run(owns, &x);
    end(1, DBM_OK), end(2, DBM_OK);
    TRACE("c2c1c0f<30>r2|30");
    owneds[2].how = 0; /* and one of the clean-up */
    owneds[0].how = 2;
    (void)run(owns, &x);
    end(1, DBM_OK), end(102, DBM_OK), end(2, DBM_OK), end(102, DBM_E_IN_DOUBT);
    TRACE("c2c1c0f<0>c2|30");
    owneds[2].how = 0;
    (void)run(owns, &x); /* the loop ends under a commit */
    end(1, DBM_OK);
    dbm_loop_free(loop);
    loop = NULL;
    TRACE("c2r1r0f<18>r2|18"); /* which was asked to end, and did so by E_CANCELLED */
    memset(owneds, 0, sizeof owneds);
}

/* ---- the callback form -------------------------------------------------------------------------------------------------------------------------------- */

static void told_and_begins(scripted *s) {
    scripted_told(s);
    if (s->name < 3) scripted_begin(loop, NULL, s->name + 1)->told = told_and_begins;
}
static void told_and_frees(scripted *s) {
    scripted_told(s);
    dbm_loop_free(loop);
    loop = NULL;
}
static void test_callbacks(void **state) {
    dbm_loop *freed = loop;
    scripted *s;
    (void)state;
    (void)dbm__fail(DBM_OK, DBM_STAGE_NONE, "", "", NULL);
    scripted_begin(loop, NULL, 1)->told = told_and_begins;
    assert_int_equal(dbm_loop_step(loop, 0), DBM_OK); /* it holds the loop */
    s = find(1);
    scripted_end(s, DBM_E_SQL);
    TRACE(""); /* not within the call */
    turn();
    TRACE("!1<22>");
    end(2, DBM_E_LOST), end(3, DBM_E_SQL);
    TRACE("!2<21>!3<22>");
    assert_int_equal(dbm_loop_step(loop, 0), DBM_DONE);
    scripted_begin(loop, NULL, 4)->told = told_and_frees;
    scripted_begin(loop, NULL, 5)->told = scripted_told;
    scripted_end(find(4), DBM_E_SQL);
    (void)dbm_loop_step(freed, 0);
    TRACE("!4<22>!5<18>");
}

/* ---- fairness, and the stack ------------------------------------------------------------------------------------------------------------------------------- */

static uintptr_t lowest, highest;
static void measure_stack(void) {
    uintptr_t at = (uintptr_t)__builtin_frame_address(0); /* not that of a local, which sanitizers put elsewhere */
    if (lowest == 0 || at < lowest) lowest = at;
    if (at > highest) highest = at;
}
static int stop_now;
static dbm_task_status never_waits(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (; !stop_now; x->n++) {
        measure_stack();
        if (x->i == 0) DBM_AWAIT(t, at_once(t, 1, DBM_OK));
        else if (x->i == 1) DBM_AWAIT(t, dbm_async_task(t, never_waits, x + 1));
        else if (x->i == 2) DBM_AWAIT(t, dbm_async_yield(t));
        else break;
    }
    DBM_TASK_END(t);
}
static dbm_task_status stops(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (x->n = 0; x->n < 1000; x->n++) DBM_AWAIT(t, dbm_async_yield(t));
    stop_now = 1;
    DBM_TASK_END(t);
}
static void test_fair(void **state) {
    frame x[2], y = { 0 };
    (void)state;
    memset(x, 0, sizeof x);
    x[1].i = 3;
    for (x[0].i = 0; x[0].i < 3; x[0].i++) {
        stop_now = x[0].n = 0;
        lowest = highest = 0;
        (void)dbm_spawn(loop, never_waits, x);
        (void)dbm_spawn(loop, stops, &y);
        assert_int_equal(dbm_loop_run(loop, -1), DBM_OK);
        assert_true(x[0].n >= 500);
        assert_true(highest - lowest < 4096);
    }
}

/* ---- blocking calls ------------------------------------------------------------------------------------------------------------------------------------------- */

static void pause_ms(int ms) {
    struct timespec ts = { 0, ms * 1000000L };
    (void)nanosleep(&ts, NULL);
}
static dbm_status blocks(void *ud) {
    frame *x = (frame *)ud;
    if (x->n == 1) return dbm__fail(DBM_E_SQL, DBM_STAGE_STATEMENT, "base", "", "of the worker");
    if (x->n == 2) return DBM_E_LOST;
    while (x->n == 3 && !__atomic_load_n(&x->i, __ATOMIC_ACQUIRE)) pause_ms(1);
    return DBM_OK;
}
static dbm_task_status calls(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_call(t, blocks, x));
    note("a");
    DBM_TASK_END(t);
}
static void test_calls(void **state) {
    frame x = { 0 };
    dbm_task_handle h;
    (void)state;
    (void)run(calls, &x);
    assert_int_equal(dbm_loop_run(loop, -1), DBM_OK);
    TRACE("a|0");
    x.n = 1;
    (void)run(calls, &x);
    assert_int_equal(dbm_loop_run(loop, -1), DBM_OK);
    TRACE("|22");
    assert_string_equal(end_message, "of the worker");
    x.n = 2; /* without a word about it */
    (void)run(calls, &x);
    assert_int_equal(dbm_loop_run(loop, -1), DBM_OK);
    TRACE("|21");
    assert_string_equal(end_message, dbm_status_text(DBM_E_LOST));
    x.n = 3; /* it runs, and is waited for */
    h = run(calls, &x);
    pause_ms(20);
    cancel(h);
    TRACE("");
    __atomic_store_n(&x.i, 1, __ATOMIC_RELEASE);
    assert_int_equal(dbm_loop_run(loop, -1), DBM_OK);
    TRACE("a|18");
}

/* ---- memory -------------------------------------------------------------------------------------------------------------------------------------------------- */

static dbm_task_status waits(dbm_task *t) {
    frame *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, later(t, 1));
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_sleep(t, 1));
    DBM_AWAIT(t, dbm_async_task(t, child, x));
    (void)later(t, 1);
    DBM_AWAIT_WITHIN(t, 5, dbm_async_all(t));
    DBM_TASK_END(t);
}
static void finish_all(void) {
    for (int i = 0; i < 100000 && dbm_loop_step(loop, 0) == DBM_OK; i++) {
        while (under_way != NULL) scripted_end(under_way, DBM_OK);
        now_us += 1000;
    }
    trace[0] = '\0';
}
static void test_memory(void **state) {
    enum { MANY = 10000 };
    static frame x[MANY];
    long before, calls;
    (void)state;
    (void)dbm_spawn(loop, waits, &x[0]);
    finish_all();
    before = heap.live_bytes;
    for (int i = 0; i < MANY; i++) assert_non_null(dbm_spawn(loop, waits, &x[i]).loop);
    turn();
    print_message("a waiting task: %ld bytes, of them the test's act %d over the %d of each\n", (heap.live_bytes - before) / MANY,
                  (int)(sizeof(scripted) - sizeof(dbm_act)), (int)sizeof(dbm_act));
    assert_true((heap.live_bytes - before) / MANY <= 120 + 128); /* the task, and the act's 104 in steps of 32 */
    assert_true(sizeof(dbm_act) <= 64);
    finish_all();
    assert_int_equal(stats().running, 0);
    calls = heap.calls; /* warm: nothing is allocated */
    for (int i = 0; i < MANY; i++) assert_non_null(dbm_spawn(loop, waits, &x[i]).loop);
    finish_all();
    assert_int_equal(heap.calls, calls);
    assert_int_equal(acts_begun, acts_reaped);
}

/* Wherever memory ends, each task ends once, and nothing is lost. */
static void test_no_memory(void **state) {
    (void)state;
    for (long n = 1;; n++) {
        frame x = { 0 }, y = { 0 };
        long failed;
        dbm_task_handle h, g;
        ends = 0;
        assert_int_equal(tear_down(NULL), 0);
        assert_int_equal(set_up(NULL), 0);
        memset(&owneds, 0, sizeof owneds);
        test_heap_fail(&heap, n);
        x.n = 4;
        h = dbm_spawn_opt(loop, parent, &x, .on_end = on_end, .deadline_ms = 100);
        g = dbm_spawn_opt(loop, timed, &y, .on_end = on_end);
        turn();
        if (find(9) != NULL) end(9, DBM_E_SQL);
        if (find(1) != NULL) end(1, DBM_E_SQL);
        finish_all();
        failed = heap.failed;
        test_heap_fail(&heap, 0);
        assert_int_equal(ends, (h.loop != NULL) + (g.loop != NULL));
        assert_int_equal(stats().running, 0);
        if (failed == 0) break;
    }
}

/* ---- random schedules -------------------------------------------------------------------------------------------------------------------------------------------- */

enum { NODES = 48, HELD = 96 };
typedef struct node {
    uint32_t random;
    bool used, over, cleaned, root;
    int depth, steps, rc, ended, own;
    dbm_act *kept[3];
    struct { dbm__owned of; bool open; } session[2];
    dbm_task_handle handle;
} node;
static node nodes[NODES];
static int node_count, sessions_open;
static uint32_t seed_now;

static uint32_t draw(uint32_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random;
}
static unsigned pick(uint32_t *random, unsigned n) { return draw(random) % n; }

static dbm_act *session_end(dbm__owned *of, dbm_task *t, bool failed, dbm_status *st) {
    node *x = (node *)dbm_task_data(t);
    int i = of == &x->session[1].of;
    assert_true(x->session[i].open);
    if (i == 0) assert_false(x->session[1].open); /* in reverse */
    assert_int_equal(failed, dbm_task_outcome(t) != DBM_OK);
    x->session[i].open = false;
    sessions_open--;
    switch (dbm__loop_ends(dbm_task_loop(t)) ? 0 : pick(&x->random, 4)) {
    case 0: return at_once(t, 0, pick(&x->random, 4) == 0 ? DBM_E_SERIALIZATION : DBM_OK);
    case 1: *st = pick(&x->random, 4) == 0 ? dbm__fail(DBM_E_IN_DOUBT, DBM_STAGE_COMMIT, "", "", NULL) : DBM_OK; return NULL;
    default: {
        dbm_act *act = deaf(t, 0);
        if (act == NULL) *st = DBM_E_NOMEM;
        return act;
    }
    }
}

static node *node_new(uint32_t *random, int depth) {
    node *x;
    if (node_count == NODES) return NULL;
    x = &nodes[node_count++];
    memset(x, 0, sizeof *x);
    x->used = true;
    x->random = draw(random) | 1u;
    x->depth = depth;
    x->steps = 1 + (int)pick(&x->random, 6);
    return x;
}

static dbm_act *all(dbm_task *t, node *x) {
    memset(x->kept, 0, sizeof x->kept); /* when it is awaited, they are gone */
    return dbm_async_all(t);
}
static dbm_task_status wanders(dbm_task *t);
static dbm_act *anything(dbm_task *t, node *x) {
    node *y;
    switch (pick(&x->random, 9)) {
    case 0: return later(t, 0);
    case 1: return deaf(t, 0);
    case 2: return at_once(t, 0, pick(&x->random, 4) == 0 ? DBM_E_SQL : DBM_OK);
    case 3: return dbm_async_sleep(t, (int)pick(&x->random, 3));
    case 4: return dbm_async_yield(t);
    case 5: (void)dbm__fail(DBM_E_RANGE, DBM_STAGE_NONE, "", "", NULL); return NULL;
    case 6:
        return all(t, x);
    default:
        y = x->depth < 4 ? node_new(&x->random, x->depth + 1) : NULL;
        if (y == NULL) return later(t, 0);
        dbm_act *act = dbm_async_task(t, wanders, y);
        if (act == NULL) y->used = false; /* the loop ends */
        return act;
    }
}
static void keep(node *x, int i, dbm_act *act) { x->kept[i] = act; }
static dbm_act *kept(dbm_task *t, node *x) {
    dbm_act *act = x->kept[pick(&x->random, 3)];
    memset(x->kept, 0, sizeof x->kept);
    return act != NULL ? act : anything(t, x);
}

static dbm_task_status wanders(dbm_task *t) {
    node *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    assert_false(x->over);
    for (; x->steps > 0; x->steps--) {
        switch (pick(&x->random, 10)) { /* no await in here */
        case 0: keep(x, (int)pick(&x->random, 3), anything(t, x)); break;
        case 1: (void)anything(t, x); break;
        case 2: (void)dbm_task_deadline(t, (int)pick(&x->random, 4)); break;
        case 3: return dbm_task_fail(t, DBM_E_CONSTRAINT);
        case 4: if (pick(&x->random, 3) == 0) return DBM_TASK_DONE; break;
        case 5:
            if (x->own == 2) break;
            x->session[x->own].of.end = session_end;
            x->session[x->own].open = true;
            dbm__task_owns(t, &x->session[x->own].of);
            x->own++;
            sessions_open++;
            break;
        case 6: dbm_async_cancel(later(t, 0)); break;
        default: break;
        }
        if (pick(&x->random, 3) == 0) DBM_AWAIT(t, anything(t, x));
        else if (pick(&x->random, 3) == 0) DBM_AWAIT_WITHIN(t, (int)pick(&x->random, 3), anything(t, x));
        else if (pick(&x->random, 3) == 0) DBM_TRY_AWAIT(t, &x->rc, all(t, x));
        else DBM_TRY_AWAIT(t, &x->rc, kept(t, x));
    }
    DBM_TASK_FINALLY(t);
    assert_false(x->over);
    assert_false(x->cleaned);
    assert_false(x->session[0].open || x->session[1].open);
    x->cleaned = true;
    x->own = 0;
    (void)anything(t, x);
    if (pick(&x->random, 2)) DBM_TRY_AWAIT(t, &x->rc, anything(t, x));
    if (pick(&x->random, 4) == 0) {
        x->session[0].of.end = session_end;
        x->session[0].open = true;
        sessions_open++;
        dbm__task_owns(t, &x->session[0].of);
    }
    if (pick(&x->random, 4) == 0) DBM_AWAIT(t, anything(t, x));
    x->over = true;
    DBM_TASK_END(t);
}
static void node_ended(void *ud, dbm_status st, const dbm_error_info *e) {
    node *x = (node *)ud;
    assert_true(x->cleaned);
    assert_false(x->session[0].open || x->session[1].open);
    assert_int_equal(x->ended++, 0);
    assert_int_equal(e == NULL ? DBM_OK : e->status, st);
}
static void told_random(scripted *s) { assert_int_equal((*(int *)s->ud)++, 0); }

static void schedule(uint32_t seed) {
    static int called[HELD];
    uint32_t random = seed * 2654435761u | 1u;
    int calls_made = 0, turns = 20 + (int)pick(&random, 60);
    bool to_the_end = pick(&random, 2);
    seed_now = seed;
    node_count = sessions_open = 0;
    memset(called, 0, sizeof called);
    for (int i = 0; i < turns; i++) {
        int n = (int)pick(&random, 3);
        switch (pick(&random, 6)) {
        case 0: {
            node *x = node_new(&random, 0);
            if (x == NULL) break;
            x->root = true;
            x->handle = pick(&random, 2) ? dbm_spawn_opt(loop, wanders, x, .on_end = node_ended, .on_end_ud = x)
                                         : dbm_spawn_opt(loop, wanders, x, .on_end = node_ended, .on_end_ud = x, .deadline_ms = 1 + (int)pick(&random, 5));
            assert_non_null(x->handle.loop);
            break;
        }
        case 1:
            if (node_count > 0) {
                node *x = &nodes[pick(&random, (unsigned)node_count)];
                if (x->root) assert_int_equal(dbm_task_cancel(x->handle), DBM_OK);
            }
            break;
        case 2:
            if (calls_made < HELD) {
                scripted *s = scripted_begin(loop, NULL, 0);
                s->told = told_random;
                s->ud = &called[calls_made++];
            }
            break;
        case 3: now_us += (int64_t)pick(&random, 3) * 1000; break;
        default:
            for (; n >= 0 && under_way != NULL; n--) {
                scripted *s = under_way;
                for (unsigned k = pick(&random, 6); k > 0 && s->next != NULL; k--) s = s->next;
                scripted_end(s, pick(&random, 3) == 0 ? (pick(&random, 3) == 0 ? DBM_E_CANCELLED : DBM_E_LOST) : DBM_OK);
            }
            break;
        }
        (void)dbm_loop_step(loop, 0);
    }
    if (to_the_end) {
        for (int i = 0; i < 100000 && dbm_loop_step(loop, 0) == DBM_OK; i++) {
            if (under_way != NULL) scripted_end(under_way, DBM_OK);
            now_us += 1000;
        }
        assert_int_equal(dbm_loop_step(loop, 0), DBM_DONE);
        assert_int_equal(stats().running, 0);
    } else {
        for (scripted *s = under_way, *next; s != NULL; s = next) { /* those that were deaf before are not asked again */
            next = s->next;
            if (s->act.stopped) scripted_end(s, DBM_OK);
        }
    }
}
static void schedule_ended(void) {
    for (int i = 0; i < node_count; i++) {
        node *x = &nodes[i];
        if (!x->used) continue;
        assert_true(x->cleaned);
        if (x->root) assert_int_equal(x->ended, 1);
    }
    assert_int_equal(sessions_open, 0);
    assert_null(under_way);
    assert_int_equal(acts_begun, acts_reaped);
}
static void test_random(void **state) {
    const char *given = getenv("DBM_TEST_SEED"), *how_many = getenv("DBM_TEST_SCHEDULES");
    uint32_t seed = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 1, count = how_many != NULL ? (uint32_t)strtoul(how_many, NULL, 10) : 10000;
    (void)state;
    print_message("seeds %u to %u\n", (unsigned)seed, (unsigned)(seed + count - 1));
    for (uint32_t i = 0; i < count; i++) {
        schedule(seed + i);
        if (i % 2) { /* the next one in the same loop, or in a new one */
            if (stats().running == 0 && under_way == NULL) {
                schedule_ended();
                continue;
            }
        }
        assert_int_equal(tear_down(NULL), 0);
        schedule_ended();
        assert_int_equal(set_up(NULL), 0);
    }
}
/* Which seed it was, when an assertion ends the test. */
static int random_tear_down(void **state) {
    if (under_way != NULL || loop == NULL) fprintf(stderr, "it was seed %u: DBM_TEST_SEED=%u DBM_TEST_SCHEDULES=1\n", (unsigned)seed_now, (unsigned)seed_now);
    return tear_down(state);
}

/* ---- mistakes ---- */

static dbm_status fn_of_call(void *ud) { (void)ud; return DBM_OK; }
static dbm_task_status goes_straight_on(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    DBM_TASK_END(t);
}
/* Whatever failed before, it is said which call has no task, and nothing has begun. */
#define NO_TASK(call, name) do { \
        (void)dbm__fail(DBM_E_LOST, DBM_STAGE_NONE, "", "", "before"); \
        if (!(call)) fail_msg("%s", #call); \
        if (dbm_last_error()->status != DBM_E_MISUSE || strncmp(dbm_last_error()->message, name ": the task is NULL", strlen(name) + 18) != 0) fail_msg("%s: %s", #call, dbm_last_error()->message); \
    } while (0)
static void a_task_that_is_not_there(void **state) {
    dbm_session s;
    dbm_heard heard;
    (void)state;
    NO_TASK(dbm_async_sleep(NULL, 1) == NULL, "dbm_async_sleep");
    NO_TASK(dbm_async_yield(NULL) == NULL, "dbm_async_yield");
    NO_TASK(dbm_async_all(NULL) == NULL, "dbm_async_all");
    NO_TASK(dbm_async_call(NULL, fn_of_call, NULL) == NULL, "dbm_async_call");
    NO_TASK(dbm_async_task(NULL, goes_straight_on, NULL) == NULL, "dbm_async_task");
    NO_TASK(dbm_async_session(NULL, "a", &s) == NULL, "dbm_async_session");
    NO_TASK(dbm_async_session_on(NULL, NULL, &s) == NULL, "dbm_async_session");
    NO_TASK(dbm_async_heard(NULL, NULL, &heard) == NULL, "dbm_async_heard");
    NO_TASK(dbm_task_deadline(NULL, 1) == DBM_E_MISUSE, "dbm_task_deadline");
    NO_TASK(dbm_task_fail(NULL, DBM_E_SQL) == DBM_TASK_FAILED, "dbm_task_fail");
    NO_TASK(dbm_task_outcome(NULL) == DBM_E_MISUSE, "dbm_task_outcome");
    NO_TASK(dbm_task_loop(NULL) == NULL, "dbm_task_loop");
    NO_TASK(dbm_task_data(NULL) == NULL, "dbm_task_data");
    NO_TASK(goes_straight_on(NULL) == DBM_TASK_FAILED, "DBM_TASK_BEGIN"); /* called by hand */
    dbm_task_stats(loop, NULL);
    dbm_async_cancel(NULL);
    assert_int_equal(stats().begun, 0);
    memset(&dbm__self()->last, 0, sizeof dbm__self()->last);
    assert_null(dbm_spawn(NULL, goes_straight_on, NULL).loop);
    assert_non_null(strstr(dbm_last_error()->message, "dbm_spawn: the loop is NULL"));
    assert_non_null(strstr(dbm_last_error()->site, "test_task.c:"));
    memset(&dbm__self()->last, 0, sizeof dbm__self()->last);
    assert_int_equal(dbm_loop_run(NULL, 0), DBM_E_MISUSE);
    assert_string_equal(dbm_last_error()->site, "dbm_loop_run");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_straight, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_misuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_task_that_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_children, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_borrowed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_chain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadlines, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit_of_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit_of_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limit_without_a_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline_without_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_loop_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_owned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_callbacks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fair, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_random, set_up, random_tear_down),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
