/* Tasks as C++ sees them: no cast of dbm_task_data(), options by name, lambdas as what a task calls, awaits in every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" { /* some versions of it do not say so themselves */
#include <cmocka.h>
}
#if !defined(DBM_WITH_ASYNC)
#  define DBM_WITH_ASYNC
#endif
#include "dbm_test.h"
#include <string>

namespace {
struct work {
    int i, rc, ends;
    std::string text;
    dbm_act *a, *b;
};

dbm_task_status child(dbm_task *t) {
    int *n = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_sleep(t, 1));
    ++*n;
    DBM_TASK_END(t);
}

dbm_task_status straight(dbm_task *t) {
    work *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    for (x->i = 0; x->i < 3;) { DBM_AWAIT(t, dbm_async_task(t, child, &x->i)); x->text += "a"; DBM_AWAIT(t, dbm_async_yield(t)); }
    x->a = dbm_async_task(t, child, &x->i);
    x->b = dbm_async_call(t, [](void *ud) -> dbm_status { static_cast<work *>(ud)->text += "c"; return DBM_E_RANGE; }, x);
    DBM_TRY_AWAIT(t, &x->rc, x->b);
    if (x->rc == DBM_E_RANGE) DBM_AWAIT(t, x->a);
    else return dbm_task_fail(t, DBM_E_MISUSE);
    DBM_TRY_AWAIT_WITHIN(t, 1, &x->rc, dbm_async_sleep(t, 10000));
    if (x->rc != DBM_E_TIMEOUT) return dbm_task_fail(t, DBM_E_MISUSE);
    DBM_AWAIT_WITHIN(t, 10000, dbm_async_all(t));
    return dbm_task_fail(t, DBM_E_CONSTRAINT);
    DBM_TASK_FINALLY(t);
    if (dbm_task_outcome(t) == DBM_E_CONSTRAINT) x->text += "f";
    DBM_TASK_END(t);
}

void ended(void *ud, dbm_status st, const dbm_error_info *e) {
    work *x = static_cast<work *>(ud);
    x->ends++;
    x->rc = st;
    assert_non_null(e);
}

void test_cpp(void **) {
    dbm_manager *mgr = nullptr;
    dbm_loop *loop = nullptr;
    work x = { 0, 0, 0, "", nullptr, nullptr };
    assert_int_equal(dbm_manager_create(&mgr, nullptr), DBM_OK);
    assert_int_equal(dbm_loop_create(&loop, mgr, DBM_LOOP_OPTIONS(.workers = 1)), DBM_OK);
    dbm_task_handle h = dbm_spawn_opt(loop, straight, &x, .on_end = ended, .on_end_ud = &x);
    assert_non_null(h.loop);
    assert_int_equal(dbm_loop_run(loop, 10000), DBM_OK);
    assert_int_equal(x.ends, 1);
    assert_int_equal(x.rc, DBM_E_CONSTRAINT);
    assert_int_equal(x.i, 4);
    assert_string_equal(x.text.c_str(), "aaacf");
    dbm_loop_free(loop);
    dbm_manager_free(mgr);
}
}

int main() {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cpp) };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
