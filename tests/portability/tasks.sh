#!/bin/sh
# A task's straight-line code compiles without a warning in every language, however its awaits stand; those that can't work are
# answered by the compiler.
. "$(dirname "$0")/../lib.sh"
cd "$WORK" || exit 1
MORE="-Wsign-conversion -Wcast-qual -Wmissing-prototypes -Wimplicit-fallthrough"

cat >shapes.c <<'END'
#include "dbm.h"
struct shapes { int i, n; dbm_status rc; dbm_act *a, *b; dbm_loop *loop; };
static dbm_status blocks(void *ud) { return ud ? DBM_OK : DBM_E_SQL; }
static dbm_task_status least(dbm_task *t) {
    DBM_TASK_BEGIN(t);
    DBM_TASK_END(t);
}
static dbm_task_status many(dbm_task *t) {
    struct shapes *x = dbm_task_data(t);
    DBM_TASK_BEGIN(t);
    DBM_AWAIT(t, dbm_async_sleep(t, 1)); DBM_AWAIT(t, dbm_async_sleep(t, 1)); /* two on a line */
    for (x->i = 0; x->i < 3; x->i++) {
        if (x->i == 1) DBM_AWAIT(t, dbm_async_yield(t));
        else DBM_TRY_AWAIT(t, &x->rc, dbm_async_call(t, blocks, x));
        while (x->n < x->i) { DBM_AWAIT_WITHIN(t, 5, dbm_async_task(t, least, NULL)); x->n++; }
        do DBM_TRY_AWAIT_WITHIN(t, 5, &x->rc, dbm_async_sleep(t, 1)); while (x->rc);
        switch (x->i) { case 1: x->n++; break; default: break; }
    }
    x->a = dbm_async_task(t, least, NULL), x->b = dbm_async_task(t, least, NULL);
    DBM_AWAIT(t, x->a);
    if (x->rc) return dbm_task_fail(t, x->rc);
    if (x->n > 100) return DBM_TASK_DONE;
    dbm_async_cancel(x->b);
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_all(t));
    DBM_AWAIT(t, x->n ? dbm_async_sleep(t, 1) : dbm_async_yield(t));
    DBM_TASK_FINALLY(t);
    if (dbm_task_outcome(t)) x->n++;
    DBM_TRY_AWAIT(t, &x->rc, dbm_async_sleep(t, 1));
    DBM_TASK_END(t);
}
static void ended(void *ud, dbm_status st, const dbm_error_info *e) { (void)ud; (void)st; (void)e; }
void start(dbm_loop *loop, struct shapes *x);
void start(dbm_loop *loop, struct shapes *x) {
    dbm_task_handle h = dbm_spawn(loop, many, x);
    dbm_spawn_opt(loop, many, x, .deadline_ms = 5, .on_end = ended);
    dbm_task_cancel(h);
}
END
cp shapes.c shapes.cpp
check "gcc -Wjump-misses-init" gcc -std=c11 $WARNINGS -Wjump-misses-init -iquote "$HEADERS" -c shapes.c -o one.o
for standard in c99 c11; do
    for cc in gcc clang; do
        check "$cc -std=$standard" $cc -std=$standard -O2 $WARNINGS $MORE -iquote "$HEADERS" -c shapes.c -o one.o
    done
done
for standard in c++11 c++17; do
    for cc in g++ clang++; do
        check "$cc -std=$standard" $cc -std=$standard -O2 $WARNINGS -Wsign-conversion -Wcast-qual -Wimplicit-fallthrough -iquote "$HEADERS" -c shapes.cpp -o one.o
    done
done
sed -e 's|; DBM_AWAIT(t, dbm_async_sleep(t, 1)); /.*|;|' shapes.c >lines.c
check "without __COUNTER__, one await on a line" gcc -std=c99 $WARNINGS -Wno-error -U__COUNTER__ -iquote "$HEADERS" -c lines.c -o one.o

cat >none.c <<'END'
#define DBM_IMPLEMENTATION
#include "shapes.c"
int main(void) {
    struct shapes x = { 0, 0, DBM_OK, NULL, NULL, NULL };
    start(NULL, &x);
    return dbm_spawn(NULL, many, &x).loop == NULL && dbm_last_error()->status == DBM_E_NOT_COMPILED && strstr(dbm_last_error()->message, "DBM_WITH_ASYNC") ? 0 : 1;
}
END
none() { gcc -std=c99 $WARNINGS -iquote "$HEADERS" none.c -o none -lpthread && ./none; }
check "without DBM_WITH_ASYNC it links, and says what is missing" none

# body NAME: one.c and one.cpp are a task with the code on stdin between BEGIN and END.
body() {
    { printf '#include "dbm.h"\ndbm_task_status f(dbm_task *t);\ndbm_task_status f(dbm_task *t) {\nint *x = dbm_task_data(t);\nDBM_TASK_BEGIN(t);\n'
      cat
      printf 'DBM_TASK_END(t);\n}\n'; } >one.c
    cp one.c one.cpp
}
body <<'END'
switch (*x) { case 1: DBM_AWAIT(t, dbm_async_yield(t)); break; default: break; }
END
for cc in gcc clang; do
    check "an await in a switch of the user's own is a warning without any flag ($cc)" refuses "one.c:6" $cc -std=c11 -Werror -iquote "$HEADERS" -c one.c -o one.o
done
for cc in g++ clang++; do
    check "and an error in C++ ($cc)" refuses "one.cpp:6" $cc -std=c++11 -iquote "$HEADERS" -c one.cpp -o one.o
done
body <<'END'
int n = *x;
DBM_AWAIT(t, dbm_async_yield(t));
*x = n;
END
check "and a warning in C with -Wjump-misses-init" refuses "misses-init" gcc -std=c11 -Werror -Wjump-misses-init -iquote "$HEADERS" -c one.c -o one.o
for cc in g++ clang++; do
    check "a local that would have to live across an await is an error in C++ ($cc)" refuses "case label" $cc -std=c++11 -iquote "$HEADERS" -c one.cpp -o one.o
done
body <<'END'
DBM_TASK_FINALLY(t);
DBM_TASK_FINALLY(t);
END
check "two clean-ups" refuses "duplicate case" gcc -std=c11 -iquote "$HEADERS" -c one.c -o one.o
finish
