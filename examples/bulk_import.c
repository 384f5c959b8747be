/* Import of a CSV file in bulk: one transaction, the backend's fastest way in, rows that fail are told by their line and skipped.
 *     bulk_import [FILE.csv [URL TABLE]]
 * The file's first line names the columns. Without arguments it imports a few lines of its own into SQLite. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_SQLITE
#include "dbm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char sample[] = "id,name,people\n1,Lisbon,545796\n2,Ghent,270473\n2,Ghent again,0\n3,,1\n4,Oulu,216194\n";
enum { COLUMNS = 64, LINE = 4096 };

/* Splits a line at its commas; an empty field is NULL. (Quotes are left to a CSV library.) */
static int split(char *line, dbm_value *values) {
    int n = 0;
    line[strcspn(line, "\r\n")] = 0;
    while (line != NULL && n < COLUMNS) {
        char *comma = strchr(line, ',');
        if (comma != NULL) *comma++ = 0;
        values[n++] = line[0] != 0 ? dbm_text(line) : dbm_null();
        line = comma;
    }
    return n;
}

static void refused(void *ud, int64_t row, const dbm_error_info *error) {
    (void)ud;
    printf("line %d is left out: %s\n", (int)row + 2, error->message);
}

static dbm_status import(dbm_session *s, FILE *in, const char *table) {
    char line[LINE];
    dbm_value values[COLUMNS];
    dbm_bulk *bulk;
    dbm_status st;
    if (fgets(line, sizeof line, in) == NULL) return DBM_OK;
    line[strcspn(line, "\r\n")] = 0;
    st = dbm_bulk_begin_opt(s, &bulk, table, line, .each_row = 1, .failed = refused); /* names of columns only: anything else is an error */
    while (st == DBM_OK && fgets(line, sizeof line, in) != NULL) {
        int n = split(line, values);
        st = dbm_bulk_rowv(bulk, values, n);
    }
    return st == DBM_OK ? dbm_bulk_end(bulk) : st; /* in a session a bulk that failed need not be ended */
}

int main(int argc, char **argv) {
    const char *table = argc > 3 ? argv[3] : "cities";
    dbm_manager *mgr = NULL;
    dbm_status rc = dbm_manager_create(&mgr, NULL);
    FILE *in = argc > 1 ? fopen(argv[1], "r") : tmpfile();
    if (rc == DBM_OK) rc = dbm_add_database(mgr, DBM_CONFIG(.url = argc > 2 ? argv[2] : "sqlite:///:memory:"));
    if (rc != DBM_OK || in == NULL) {
        fprintf(stderr, "%s\n", in == NULL ? "the file can't be opened" : dbm_last_error()->message);
        return dbm_manager_free(mgr), 1;
    }
    if (argc <= 1) {
        fputs(sample, in);
        rewind(in);
    }
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        if (argc <= 2) dbm_exec(s, "CREATE TABLE cities (id INTEGER PRIMARY KEY, name TEXT NOT NULL, people INTEGER)");
        if (import(s, in, table) == DBM_OK) printf("%d rows imported\n", (int)dbm_affected(s));
    }
    DBM_FAILED(err) fprintf(stderr, "nothing is imported: %s\n", err->message);
    fclose(in);
    dbm_manager_free(mgr);
    return rc == DBM_OK ? 0 : 1;
}
