/* An adapter of one's own: a directory of CSV files as a database, through the public table alone. Its two statements are
 *     READ table                  the rows of DIRECTORY/table.csv, whose first line holds the names of the columns
 *     READ table WHERE column     those rows whose column is the value of the call
 * Pool, sessions, rows, errors and configuration come from dbm.h. */
#define DBM_IMPLEMENTATION
#define DBM_WITH_INI
#include "dbm.h"
#include <stdio.h>
#include <string.h>

enum { CELLS = 16, LINE = 512 };
typedef struct csv_rows { FILE *file; int names, cells, where; char wanted[LINE], head[LINE], line[LINE], *name[CELLS], *cell[CELLS]; } csv_rows;

static int csv_split(char *line, char **cells) {
    int n = 1;
    line[strcspn(line, "\r\n")] = 0;
    for (cells[0] = line; n < CELLS && (line = strchr(line, ',')) != NULL; cells[n++] = line) *line++ = 0;
    return n;
}

static dbm_status csv_init(dbm_database *db) {
    if (dbm_adapter_option(db, "directory") != NULL) return DBM_OK;
    return dbm_adapter_fail_init(db, DBM_E_CONFIG, "directory = PATH is missing");
}
static void csv_close(dbm_database *db) { (void)db; }
static dbm_status csv_connect(dbm_connection *c, dbm_op *op) { (void)c; (void)op; return DBM_OK; }
static void csv_disconnect(dbm_connection *c, dbm_disconnect how) { (void)c; (void)how; }

static dbm_status csv_read(dbm_connection *c, dbm_op *op, csv_rows *r) {
    const char *dir = dbm_adapter_option(dbm_adapter_database(c), "directory");
    char table[64], column[64], path[LINE];
    int words = sscanf(op->sql, "READ %63[A-Za-z0-9_] WHERE %63s", table, column);
    if (words < 1) return dbm_adapter_fail(c, DBM_E_SQL, NULL, 0, "expected READ table [WHERE column]");
    snprintf(path, sizeof path, "%s/%s.csv", dir, table);
    r->file = fopen(path, "r");
    if (r->file == NULL) return dbm_adapter_fail(c, DBM_E_SQL, NULL, 0, "there is no file of this name in the directory");
    op->columns = r->names = fgets(r->head, LINE, r->file) != NULL ? csv_split(r->head, r->name) : 0;
    for (r->where = words == 2 ? r->names - 1 : -1; r->where >= 0 && strcmp(r->name[r->where], column) != 0;) r->where--;
    if (words == 1) return DBM_OK;
    if (r->where < 0) return dbm_adapter_fail(c, DBM_E_SQL, NULL, 0, "WHERE names no column of the file");
    if (op->value_count != 1 || op->values[0].type != DBM_TYPE_TEXT) return dbm_adapter_fail(c, DBM_E_RANGE, NULL, 0, "WHERE takes one text");
    snprintf(r->wanted, LINE, "%.*s", (int)op->values[0].as.text.size, op->values[0].as.text.data);
    return DBM_OK;
}

static dbm_status csv_execute(dbm_connection *c, dbm_op *op) {
    dbm_database *db = dbm_adapter_database(c);
    csv_rows *r = op->kind == DBM_OP_EXECUTE ? dbm_adapter_alloc(db, sizeof *r) : op->result;
    dbm_status status = DBM_OK;
    if (op->kind != DBM_OP_EXECUTE && op->kind != DBM_OP_FINISH) return DBM_E_UNSUPPORTED; /* dbm.h does without, or says so */
    if (r == NULL) return DBM_E_NOMEM;
    if (op->kind == DBM_OP_EXECUTE) {
        r->file = NULL;
        status = csv_read(c, op, r);
        if (status == DBM_OK) return op->result = r, DBM_OK;
    }
    if (r->file != NULL) fclose(r->file);
    dbm_adapter_free(db, r);
    return status;
}

static dbm_status csv_fetch(dbm_connection *c, dbm_op *op) {
    csv_rows *r = op->result;
    (void)c;
    do {
        if (fgets(r->line, LINE, r->file) == NULL) return DBM_DONE;
        r->cells = csv_split(r->line, r->cell);
    } while (r->where >= 0 && (r->where >= r->cells || strcmp(r->cell[r->where], r->wanted) != 0));
    return DBM_OK;
}

static dbm_status csv_column(dbm_connection *c, dbm_op *op, int i, dbm_value *out) {
    const csv_rows *r = op->result;
    (void)c;
    *out = i < r->cells && r->cell[i][0] != 0 ? dbm_textn(r->cell[i], strlen(r->cell[i])) : dbm_null();
    return DBM_OK;
}
static const char *csv_column_name(dbm_connection *c, dbm_op *op, int i) { (void)c; return ((csv_rows *)op->result)->name[i]; }

static const dbm_adapter csv = {
    .size = sizeof(dbm_adapter), .version = DBM_ADAPTER_VERSION, .type = "csv", .options = "directory", .placeholders = DBM_PH_NATIVE,
    .init = csv_init, .close = csv_close, .connect = csv_connect, .disconnect = csv_disconnect,
    .execute = csv_execute, .fetch = csv_fetch, .column = csv_column, .column_name = csv_column_name,
};

int main(void) {
    static const char config[] = "[databases.files]\ntype = csv\ndirectory = .\npool_size = 2\n";
    dbm_manager *mgr = NULL;
    FILE *file = fopen("people.csv", "w");
    dbm_status rc;
    int found = 0;
    if (file == NULL || fputs("name,city,born\nAda,London,1815\nGrace,New York,1906\nAlan,London,1912\n", file) < 0 || fclose(file) != 0) {
        return perror("people.csv"), 1;
    }
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_register(mgr, &csv) != DBM_OK ||
        dbm_load_text(mgr, config, SIZE_MAX) != DBM_OK || dbm_init_all(mgr) != DBM_OK) {
        fprintf(stderr, "%s\n", dbm_last_error()->message);
        return dbm_manager_free(mgr), 1;
    }
    DBM_SESSION_RC(mgr, "files", s, &rc) {
        DBM_EACH(s, row, "READ people WHERE city", "London") {
            int born = (int)dbm_row_int(row, dbm_row_index(row, "born"));
            printf("%s, born in %d\n", dbm_row_text(row, 0), born);
            found++;
        }
    }
    printf("%d people of London: %s\n", found, dbm_status_name(rc));
    DBM_SESSION_RC(mgr, "files", s, &rc) dbm_exec(s, "READ persons");
    DBM_FAILED(err) printf("a table that is not there: %s\n", err->message);
    dbm_manager_free(mgr);
    remove("people.csv");
    return found == 2 && rc == DBM_E_SQL ? 0 : 1;
}
