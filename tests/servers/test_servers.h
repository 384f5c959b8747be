/* The real servers for tests in C and C++: where they are, fresh databases on them, and servers of a test's own. Comes after dbm_test.h.
 * tests/run.sh starts the servers for every test that includes this file; by hand:
 *     sh tests/servers/all.sh start /tmp/s && . /tmp/s/env && ./a_test; sh tests/servers/all.sh stop /tmp/s
 * The working directory is the repository. What is missing fails the test; nothing is ever skipped. All but the texts of struct
 * members is static: a test uses what it needs.
 *
 * KIND is postgresql, mysql, redis, mongodb, memcached or pgbouncer. */
#ifndef DBM_TEST_SERVERS_H
#define DBM_TEST_SERVERS_H

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define SERVERS_TEXT 1024

/* ---- the servers of the run ----------------------------------------------------------------------------------------------
 * servers_variable("DBM_TEST_MEMCACHED")
 * servers_url("postgresql")            DBM_TEST_POSTGRESQL_URL; also "postgresql_socket", "redis_tls" and the like
 * servers_ca("ca.pem")                 a file of tests/servers/ca.sh; the text lives until the fourth later call */
TEST_HELPER const char *servers_variable(const char *name) {
    const char *value = getenv(name);
    if (value == NULL || value[0] == '\0') {
        fail_msg("%s is not set: run this test by `sh tests/run.sh`, or after `sh tests/servers/all.sh start DIR && . DIR/env`", name);
        abort();
    }
    return value;
}

TEST_HELPER const char *servers_variable_of(const char *what, char *name, size_t size) {
    int n = snprintf(name, size, "DBM_TEST_%s_URL", what);
    if (n < 0 || (size_t)n >= size) fail_msg("%s: no such server", what);
    for (char *c = name; *c != '\0'; c++) *c = (char)toupper((unsigned char)*c);
    return name;
}

TEST_HELPER const char *servers_url(const char *what) {
    char name[64];
    return servers_variable(servers_variable_of(what, name, sizeof name));
}

TEST_HELPER const char *servers_ca(const char *file) {
    static char texts[4][SERVERS_TEXT];
    static unsigned next;
    char *text = texts[next++ % 4];
    int n = snprintf(text, SERVERS_TEXT, "%s/%s", servers_variable("DBM_TEST_CA"), file);
    if (n < 0 || n >= SERVERS_TEXT || access(text, R_OK) != 0) fail_msg("%s: %s", text, strerror(errno));
    return text;
}

/* ---- a script of tests/servers/ ------------------------------------------------------------------------------------------
 * Runs `sh tests/servers/KIND.sh ARGUMENTS`, `input` being its standard input (NULL: none), and keeps what it says in `out`, without
 * the last end of line. Whatever goes wrong fails the test. */
TEST_HELPER void servers_script(const char *kind, const char *const *arguments, const char *input, char *out, size_t size) {
    char script[64];
    const char *argv[24];
    char *words[24];
    int in[2], said[2], status = 0;
    size_t n = 0, used = 0;
    ssize_t got;
    pid_t child;
    int m = snprintf(script, sizeof script, "tests/servers/%s.sh", strcmp(kind, "mysql") == 0 ? "mariadb" : kind);
    if (m < 0 || (size_t)m >= sizeof script || access(script, R_OK) != 0) {
        fail_msg("%s: no such script; the working directory of a test is the repository", script);
    }
    argv[n++] = "sh";
    argv[n++] = script;
    for (; *arguments != NULL; arguments++) {
        if (n + 1 >= sizeof argv / sizeof argv[0]) fail_msg("%s: too many arguments", script);
        argv[n++] = *arguments;
    }
    argv[n] = NULL;
    memcpy(words, argv, (n + 1) * sizeof argv[0]);
    if (pipe(in) != 0 || pipe(said) != 0) fail_msg("pipe: %s", strerror(errno));
    child = fork();
    if (child < 0) fail_msg("fork: %s", strerror(errno));
    if (child == 0) {
        /* No connection of the test may live on in a server. */
        int fd;
        if (dup2(in[0], 0) < 0 || dup2(said[1], 1) < 0) _exit(126);
        for (fd = 3; fd < 1024; fd++) (void)close(fd);
        execv("/bin/sh", words);
        _exit(127);
    }
    (void)close(in[0]);
    (void)close(said[1]);
    if (input != NULL) {
        /* Less than a pipe holds, so that nobody waits for the other. */
        if (strlen(input) > 4096 || write(in[1], input, strlen(input)) != (ssize_t)strlen(input)) fail_msg("%s: input too long", script);
    }
    (void)close(in[1]);
    for (;;) {
        char more[512];
        got = read(said[0], more, sizeof more);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        if (out != NULL && used + (size_t)got < size) {
            memcpy(out + used, more, (size_t)got);
            used += (size_t)got;
        }
    }
    (void)close(said[0]);
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) fail_msg("waitpid: %s", strerror(errno));
    }
    if (out != NULL) {
        while (used > 0 && out[used - 1] == '\n') used--;
        out[used] = '\0';
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("%s %s ended with status %d; see what it said above", script, argv[2], status);
}

/* ---- a server of the test's own --------------------------------------------------------------------------------------------
 * servers_own mine;
 * servers_start(&mine, "postgresql", "--cert", "wrong", NULL);
 * servers_own_url(&mine, "postgresql")            its DBM_TEST_POSTGRESQL_URL
 * servers_signal(&mine, SIGSTOP);                 or SIGCONT, SIGKILL: the server itself; after SIGKILL this waits until it is gone
 * servers_stop(&mine);
 * servers_start_again(&mine, NULL);               the same data, the same ports; options are given anew
 * servers_remove(&mine);                          in any state */
typedef struct servers_own { char dir[160]; char kind[16]; char texts[4][SERVERS_TEXT]; unsigned next; } servers_own;

TEST_HELPER void servers_start_list(servers_own *own, va_list options) {
    const char *arguments[16], *option;
    size_t n = 0;
    arguments[n++] = "start";
    arguments[n++] = own->dir;
    while ((option = va_arg(options, const char *)) != NULL) {
        if (n + 1 >= sizeof arguments / sizeof arguments[0]) fail_msg("too many options");
        arguments[n++] = option;
    }
    arguments[n] = NULL;
    servers_script(own->kind, arguments, NULL, NULL, 0);
}

TEST_HELPER __attribute__((__sentinel__)) void servers_start(servers_own *own, const char *kind, ...) {
    va_list options;
    int n = snprintf(own->dir, sizeof own->dir, "%s/own-XXXXXX", servers_variable("DBM_TEST_SERVERS"));
    int m = snprintf(own->kind, sizeof own->kind, "%s", kind);
    if (n < 0 || (size_t)n >= sizeof own->dir || m < 0 || (size_t)m >= sizeof own->kind) fail_msg("a path or name is too long");
    if (mkdtemp(own->dir) == NULL || chmod(own->dir, 0711) != 0) fail_msg("%s: %s", own->dir, strerror(errno));
    own->next = 0;
    va_start(options, kind);
    servers_start_list(own, options);
    va_end(options);
}

TEST_HELPER __attribute__((__sentinel__)) void servers_start_again(servers_own *own, ...) {
    va_list options;
    va_start(options, own);
    servers_start_list(own, options);
    va_end(options);
}

/* Any of its variables, by the whole name. The text lives until the fourth later call. */
TEST_HELPER const char *servers_own_variable(servers_own *own, const char *name) {
    char path[256], line[SERVERS_TEXT], before[96];
    char *text = own->texts[own->next++ % 4];
    FILE *f;
    size_t size;
    const char *file = strcmp(own->kind, "mysql") == 0 ? "mariadb" : own->kind;
    (void)snprintf(path, sizeof path, "%s/%s.env", own->dir, file);
    (void)snprintf(before, sizeof before, "export %s='", name);
    f = fopen(path, "r");
    if (f == NULL) {
        fail_msg("%s: %s", path, strerror(errno));
        abort();
    }
    text[0] = '\0';
    while (fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, before, strlen(before)) != 0) continue;
        size = strcspn(line + strlen(before), "'");
        memcpy(text, line + strlen(before), size);
        text[size] = '\0';
    }
    (void)fclose(f);
    if (text[0] == '\0') fail_msg("%s says nothing of %s", path, name);
    return text;
}

TEST_HELPER const char *servers_own_url(servers_own *own, const char *what) {
    char name[64];
    return servers_own_variable(own, servers_variable_of(what, name, sizeof name));
}

TEST_HELPER pid_t servers_pid(servers_own *own) {
    char path[256], text[32] = "";
    const char *file = strcmp(own->kind, "mysql") == 0 ? "mariadb" : own->kind;
    FILE *f;
    long pid;
    (void)snprintf(path, sizeof path, "%s/%s/pid", own->dir, file);
    f = fopen(path, "r");
    if (f == NULL || fgets(text, sizeof text, f) == NULL) fail_msg("%s: the server does not run", path);
    if (f != NULL) (void)fclose(f);
    pid = strtol(text, NULL, 10);
    if (pid <= 1) fail_msg("%s: the server does not run", path);
    return (pid_t)pid;
}

TEST_HELPER void servers_verb(const char *verb, servers_own *own) {
    const char *arguments[3];
    arguments[0] = verb;
    arguments[1] = own->dir;
    arguments[2] = NULL;
    servers_script(own->kind, arguments, NULL, NULL, 0);
}

TEST_HELPER void servers_stop(servers_own *own) { servers_verb("stop", own); }

/* Whether every thread of a process has stopped: SIGSTOP is heard by one after the other. */
TEST_HELPER bool servers_stand(pid_t pid) {
    char path[64], text[512];
    DIR *tasks;
    struct dirent *task;
    bool stand = true;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    if (tasks == NULL) return true;
    while (stand && (task = readdir(tasks)) != NULL) {
        const char *state;
        FILE *f;
        char file[400];
        if (task->d_name[0] == '.') continue;
        (void)snprintf(file, sizeof file, "%s/%s/stat", path, task->d_name);
        f = fopen(file, "r");
        if (f == NULL) continue;
        state = fgets(text, sizeof text, f) != NULL ? strrchr(text, ')') : NULL;
        (void)fclose(f);
        if (state != NULL && state[1] == ' ' && state[2] != 'T' && state[2] != 't' && state[2] != 'Z') stand = false;
    }
    (void)closedir(tasks);
    return stand;
}

TEST_HELPER void servers_signal(servers_own *own, int signal_number) {
    pid_t pid = servers_pid(own);
    int i;
    if (kill(pid, signal_number) != 0) fail_msg("signal %d: %s", signal_number, strerror(errno));
    for (i = 0; signal_number == SIGSTOP && !servers_stand(pid); i++) {
        struct timespec pause = { 0, 1000000 };
        if (i == 10000) fail_msg("the server does not stop");
        (void)nanosleep(&pause, NULL);
    }
    if (signal_number == SIGKILL) servers_stop(own);
}

TEST_HELPER void servers_remove(servers_own *own) {
    servers_verb("remove", own);
    test_remove_all(own->dir);
}

/* ---- a fresh database ------------------------------------------------------------------------------------------------------
 * servers_database db;
 * servers_fresh(&db, "postgresql");       on the server of the run; servers_fresh_on(&db, &mine): on one of the test's own
 * DBM_CONFIG(.url = db.url)
 * servers_sql(&db, "select 1", out, sizeof out);      by the server's own client (PostgreSQL, MySQL, Redis)
 * servers_drop(&db);                      connections to it are cut */
typedef struct servers_database { char dir[160]; char kind[16]; char url[512]; char name[64]; } servers_database;

TEST_HELPER void servers_fresh_in(servers_database *db, const char *kind, const char *dir) {
    const char *arguments[3];
    size_t end, begin;
    int n = snprintf(db->dir, sizeof db->dir, "%s", dir), m = snprintf(db->kind, sizeof db->kind, "%s", kind);
    if (n < 0 || (size_t)n >= sizeof db->dir || m < 0 || (size_t)m >= sizeof db->kind) fail_msg("a path or name is too long");
    arguments[0] = "create";
    arguments[1] = db->dir;
    arguments[2] = NULL;
    servers_script(db->kind, arguments, NULL, db->url, sizeof db->url);
    begin = end = strcspn(db->url, "?");
    while (begin > 0 && db->url[begin - 1] != '/') begin--;
    if (begin == end || end - begin >= sizeof db->name) fail_msg("%s: no database", db->url);
    memcpy(db->name, db->url + begin, end - begin);
    db->name[end - begin] = '\0';
}
TEST_HELPER void servers_fresh(servers_database *db, const char *kind) { servers_fresh_in(db, kind, servers_variable("DBM_TEST_SERVERS")); }
TEST_HELPER void servers_fresh_on(servers_database *db, servers_own *own) { servers_fresh_in(db, own->kind, own->dir); }

TEST_HELPER void servers_sql(const servers_database *db, const char *statements, char *out, size_t size) {
    const char *arguments[4];
    arguments[0] = "sql";
    arguments[1] = db->dir;
    arguments[2] = db->name;
    arguments[3] = NULL;
    servers_script(db->kind, arguments, statements, out, size);
}

TEST_HELPER void servers_drop(const servers_database *db) {
    const char *arguments[4];
    arguments[0] = "drop";
    arguments[1] = db->dir;
    arguments[2] = db->name;
    arguments[3] = NULL;
    servers_script(db->kind, arguments, NULL, NULL, 0);
}

#endif
