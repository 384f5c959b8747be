/* Quickstart: SQLite, an INI file and a model; a session that commits, and one that rolls back and says why. */
#define DBM_IMPLEMENTATION /* in exactly one .c file of a program */
#define DBM_WITH_SQLITE
#define DBM_WITH_INI
#include "dbm.h"
#include <stdio.h>

typedef struct user { int64_t id; const char *name; int age; bool admin; } user;
DBM_MODEL(user, "users", DBM_KEY(id), DBM_FIELD(name, DBM_NOT_NULL | DBM_UNIQUE), DBM_FIELD(age), DBM_FIELD(admin));

int main(void) {
    const dbm_model *const models[] = { &user_model };
    dbm_manager *mgr = NULL;
    dbm_status rc;
    user *grown_up = NULL;
    size_t n = 0, i;

    if (dbm_manager_load(&mgr, "integration.ini", NULL) != DBM_OK || dbm_init_all(mgr) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return dbm_manager_free(mgr), 1;
    }

    DBM_SESSION_RC(mgr, "default", s, &rc) { /* takes a connection, begins; commits at its end, gives back */
        user ada = { 0, "Ada", 36, true }, grace = { 0, "Grace", 45, false }, linus = { 0, "Linus", 12, false };
        dbm_create_all(s, models, 1);        /* CREATE TABLE IF NOT EXISTS */
        dbm_exec(s, "DELETE FROM users");    /* so that the program can be run again */
        dbm_insert_struct(s, &user_model, &ada);
        dbm_insert_struct(s, &user_model, &grace);
        dbm_insert_struct(s, &user_model, &linus);
        printf("Linus got the key %d\n", (int)linus.id);
    }
    printf("the first session: %s\n", dbm_status_name(rc));

    DBM_SESSION_RC(mgr, "default", s, &rc) { /* nothing of this one stays */
        dbm_exec(s, "UPDATE users SET age = age + ?", 1);
        dbm_exec(s, "INSERT INTO users(name, age, admin) VALUES (?, ?, ?)", "Ada", 20, false);
        dbm_exec(s, "DELETE FROM users");    /* is not sent any more: errors stick */
    }
    printf("the second session: %s\n", dbm_status_name(rc));
    DBM_FAILED(err) printf("  why: %s\n  at:  %s\n", err->message, err->site);

    DBM_SESSION_RC(mgr, "default", s, &rc) {
        DBM_EACH(s, row, "SELECT name, age FROM users WHERE age < ? ORDER BY id", 40) {
            const char *name;
            int age;
            dbm_scan(row, &name, &age);
            printf("%s is %d\n", name, age);
        }
        dbm_query_all(s, &user_model, &grown_up, &n, "WHERE age >= ? ORDER BY name", 18);
    }
    for (i = 0; i < n; i++) printf("%s is grown up%s\n", grown_up[i].name, grown_up[i].admin ? ", and an admin" : "");
    dbm_free(grown_up);
    dbm_manager_free(mgr); /* closes everything, and tells what was not given back */
    return rc == DBM_OK ? 0 : 1;
}
