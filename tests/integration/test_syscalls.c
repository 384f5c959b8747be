/* What an empty session asks of the system, counted by ptrace: nothing on SQLite; on a socket that was idle for more than a millisecond one look at it. */
#include "dbm_test.h"
#include "servers/test_servers.h"

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__)) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <elf.h>

long syscall(long number, ...); /* unistd.h tells it with GNU extensions alone */
#if defined(__x86_64__)
#  include <sys/user.h>
typedef struct user_regs_struct registers;
#  define CALL_OF(r) ((long)(r).orig_rax)
#else
#  include <asm/ptrace.h>
typedef struct user_pt_regs registers;
#  define CALL_OF(r) ((long)(r).regs[8])
#endif

enum { SESSIONS = 20 };

/* In the child. The two calls of getppid() are the parent's marks. */
static void sessions(const char *url, bool idle) {
    dbm_manager *mgr = NULL;
    dbm_database *db;
    struct timespec pause = { 0, 2000000 };
    volatile int runs = 0;
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_add_database(mgr, DBM_CONFIG(.url = url)) != DBM_OK) _exit(10);
    db = dbm_get(mgr, NULL);
    for (int i = 0; i < 2; i++) DBM_SESSION_ON(db, s) runs = runs + 1;
    for (int i = 0; i < SESSIONS; i++) {
        if (idle) (void)nanosleep(&pause, NULL);
        (void)syscall(SYS_getppid);
        DBM_SESSION_ON(db, s) runs = runs + 1;
        (void)syscall(SYS_getppid);
    }
    (void)dbm_manager_free(mgr);
    _exit(runs == SESSIONS + 2 ? 0 : 11);
}

/* How many calls SESSIONS sessions made, and how many of them were recvfrom(). -1: ptrace is forbidden here. */
static long count(const char *url, bool idle, long *looks) {
    int status = 0;
    long calls = 0;
    bool counting = false, entering = false;
    pid_t child = fork();
    *looks = 0;
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(9);
        (void)raise(SIGSTOP);
        sessions(url, idle);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 9) return -1;
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, (void *)(intptr_t)PTRACE_O_TRACESYSGOOD), 0);
    for (;;) {
        int signal = 0;
        if (WIFSTOPPED(status) && WSTOPSIG(status) != (SIGTRAP | 0x80) && WSTOPSIG(status) != SIGSTOP) signal = WSTOPSIG(status);
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, (void *)(intptr_t)signal), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSTOPPED(status)) break;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
        entering = !entering;
        if (!entering) continue;
        registers r;
        struct iovec all = { &r, sizeof r };
        assert_int_equal(ptrace(PTRACE_GETREGSET, child, (void *)(intptr_t)NT_PRSTATUS, &all), 0);
        if (CALL_OF(r) == SYS_getppid) {
            counting = !counting;
        } else if (counting) {
            calls++;
            if (CALL_OF(r) == SYS_recvfrom) ++*looks;
        }
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    return calls;
}

static void test_sqlite(void **state) {
    test_dir dir;
    long looks, calls;
    (void)state;
    test_dir_make(&dir);
    calls = count(test_dir_url(&dir, "calls.db"), true, &looks);
    test_dir_remove(&dir);
    if (calls < 0) skip();
    assert_int_equal(calls, 0);
}

static void test_socket(void **state) {
    static const char *const types[] = { "redis", "postgresql", "mariadb" };
    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        servers_database fresh;
        long looks, calls;
        if (!dbm_compiled_with(types[i])) continue;
        servers_fresh(&fresh, types[i]);
        calls = count(fresh.url, true, &looks);
        if (calls < 0) skip();
        print_message("%s: %ld calls, of which %ld look, in %d sessions\n", types[i], calls, looks, SESSIONS);
        assert_int_equal(looks, SESSIONS);
        assert_int_equal(calls, SESSIONS);
        servers_drop(&fresh);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_sqlite), cmocka_unit_test(test_socket) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
int main(void) {
    print_message("skipped: no ptrace to count with\n");
    return 0;
}
#endif
