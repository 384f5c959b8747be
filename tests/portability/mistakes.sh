#!/bin/sh
# Mistakes of a new user that the preprocessor, the compiler or the linker answers: each must say what to do, or point at the user's
# own argument. Those that a message at run time answers are in tests/integration/test_mistakes.c.
. "$(dirname "$0")/../lib.sh"
cd "$WORK" || exit 1

# wrong NAME TEXT COMPILER...: the program on stdin is refused, with this text.
wrong() {
    wrong_name=$1 wrong_text=$2
    shift 2
    cat >one.c
    check "$wrong_name" refuses "$wrong_text" "$@" -I"$HEADERS" one.c -o one
}
compile() { # compile NAME TEXT COMPILER: of the declarations alone; the program on stdin
    compile_name=$1 compile_text=$2 compile_with=$3
    cat >one.c
    check "$compile_name ($compile_with)" refuses "$compile_text" "$compile_with" -std=c11 -I"$HEADERS" -c one.c -o one.o
}
implementation='#define DBM_IMPLEMENTATION
#include "dbm.h"
int main(void) { return 0; }'

# ---- switches ----
wrong "DBM_STATIC without the implementation" "define DBM_IMPLEMENTATION in that file too" gcc <<'END'
#define DBM_STATIC
#include "dbm.h"
int main(void) { return 0; }
END
wrong "another spelling of a switch" "dbm: the switch for SQLite is DBM_WITH_SQLITE" gcc -DDBM_USE_SQLITE <<END
$implementation
END
wrong "another spelling of the implementation" "dbm: the implementation is asked for by DBM_IMPLEMENTATION" gcc -DDBM_IMPL <<'END'
#include "dbm.h"
int main(void) { return 0; }
END
cat >absent.c <<'END'
#define DBM_IMPLEMENTATION
#include "dbm.h"
static dbm_status init(dbm_database *db) { (void)db; return DBM_OK; }
static void done(dbm_database *db) { (void)db; }
static const dbm_adapter stars = DBM_ADAPTER(.type = "stars", .init = init, .close = done);
int main(void) {
    dbm_manager *mgr = NULL;
    dbm_loop *loop = NULL;
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_register(mgr, &stars) != DBM_OK) return 1;
    if (dbm_add_database(mgr, DBM_CONFIG(.url = "stars://sky")) != DBM_OK) return 2;
    if (dbm_redis_set(dbm_get(mgr, NULL), "k", "v", 0) != DBM_E_NOT_COMPILED) return 3;
    if (strstr(dbm_last_error()->message, "DBM_WITH_REDIS") == NULL) return 4;
    if (dbm_redis_get((dbm_database *)NULL, NULL, "k") == DBM_OK) return 5;
    if (dbm_loop_create(&loop, mgr, NULL) != DBM_E_NOT_COMPILED || loop != NULL) return 6;
    if (strstr(dbm_last_error()->message, "DBM_WITH_ASYNC") == NULL) return 7;
    if (dbm_loop_on_uv(&loop, mgr, NULL, NULL) != DBM_E_NOT_COMPILED || strstr(dbm_last_error()->message, "DBM_WITH_LIBUV") == NULL) return 8;
    dbm_manager_free(mgr);
    return 0;
}
END
absent() { gcc -std=c99 $WARNINGS -I"$HEADERS" absent.c -o absent -lpthread && ./absent; }
check "a call of a backend that is left out says which switch it wants" absent
wrong "a system header first, in standard C" "a system header came before dbm.h" gcc -std=c99 <<'END'
#include <stdio.h>
#define DBM_IMPLEMENTATION
#include "dbm.h"
int main(void) { return 0; }
END
check "and the cure that it names" gcc -std=c99 "$(sed -n 's/.*or add \(-D[A-Z_]*=[0-9]*\)".*/\1/p' "$ROOT/src/api/features.h")" -I"$HEADERS" one.c -o one -lpthread

# ---- headers and libraries that are not there ----
# A copy of dbm.h that looks for a name that nobody has.
missing() { # missing SWITCH HEADER TEXT
    mkdir -p copy && sed "s/<$2>/<no_such_$2>/g" "$HEADERS/dbm.h" >copy/dbm.h || return 1
    printf '%s\n' "$implementation" >one.c
    refuses "$3" gcc -D"$1" -Icopy one.c -o one
}
check "sqlite3.h is missing" missing DBM_WITH_SQLITE sqlite3.h "install libsqlite3-dev"
check "ini.h is missing" missing DBM_WITH_INI ini.h "install libinih-dev"
wrong "-lsqlite3 is missing" "sqlite3_" gcc -DDBM_WITH_SQLITE <<END
$implementation
END
wrong "-linih is missing" "ini_parse" gcc -DDBM_WITH_INI <<'END'
#define DBM_IMPLEMENTATION
#include "dbm.h"
int main(void) { return dbm_load(NULL, "a") == DBM_OK; }
END
wrong "nobody defines DBM_IMPLEMENTATION" "dbm_manager_create" gcc <<'END'
#include "dbm.h"
int main(void) { dbm_manager *m; return dbm_manager_create(&m, NULL); }
END
printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >two.c
printf '%s\n' "$implementation" >one.c
check "two files define DBM_IMPLEMENTATION" refuses dbm__only_one_file_may_define_DBM_IMPLEMENTATION gcc -I"$HEADERS" one.c two.c -o one -lpthread

# ---- arguments ----
for cc in gcc clang; do
    # The place is that of the argument itself: line 4, column 38.
    compile "a struct as a value" "one.c:4:38: error:" $cc <<'END'
#include "dbm.h"
typedef struct point { int x, y; } point;
dbm_status f(dbm_session *s, point p); dbm_status f(dbm_session *s, point p) {
return dbm_exec(s, "DELETE", 1, 1.0, p, "x"); }
END
    check "and its type is named ($cc)" refuses "point" $cc -std=c11 -I"$HEADERS" -c one.c -o one.o
    compile "a pointer to a number as a value" "one.c:3:34: error:" $cc <<'END'
#include "dbm.h"
dbm_status f(dbm_session *s, int *n); dbm_status f(dbm_session *s, int *n) {
return dbm_exec(s, "DELETE", 1,  n); }
END
    compile "a manager in the place of a session" "one.c:3:17: error:" $cc <<'END'
#include "dbm.h"
dbm_status f(dbm_manager *m); dbm_status f(dbm_manager *m) {
return dbm_exec(m, "DELETE"); }
END
    compile "buf in the place of &buf" "dbm_scan_takes_pointers_to_numbers_bool_text_char_N_or_dbm_types" $cc <<'END'
#include "dbm.h"
dbm_status f(dbm_row *row); dbm_status f(dbm_row *row) { char buf[20]; return dbm_scan(row, buf); }
END
    compile "a pointer to a struct" "dbm_scan_takes_pointers_to_numbers_bool_text_char_N_or_dbm_types" $cc <<'END'
#include "dbm.h"
typedef struct point { int x, y; } point;
dbm_status f(dbm_row *row, point *p); dbm_status f(dbm_row *row, point *p) { return dbm_scan(row, p); }
END
    compile "a model's field of another type" "dbm_model_fields_are_numbers_bool_text_char_N_or_dbm_types" $cc <<'END'
#include "dbm.h"
typedef struct point { int x, y; } point;
typedef struct place { int64_t id; point at; } place;
DBM_MODEL(place, "places", DBM_KEY(id), DBM_FIELD(at));
END
    compile "an array of structs as a bulk's column" "dbm_column_takes_arrays_of_numbers_bool_text_char_N_or_dbm_types" $cc <<'END'
#include "dbm.h"
typedef struct point { int x, y; } point;
dbm_column f(const point *p); dbm_column f(const point *p) { return DBM_COLUMN(p); }
END
    compile "n in the place of &n" "invalid type argument of unary" gcc <<'END'
#include "dbm.h"
dbm_status f(dbm_row *row); dbm_status f(dbm_row *row) { int n = 0; return dbm_scan(row, n); }
END
    compile "a misspelt field of the configuration" "nmae" $cc <<'END'
#include "dbm.h"
dbm_status f(dbm_manager *m); dbm_status f(dbm_manager *m) { return dbm_add_database(m, DBM_CONFIG(.nmae = "x")); }
END
    compile "a misspelt option of a session" "timeout" $cc <<'END'
#include "dbm.h"
void f(dbm_manager *m); void f(dbm_manager *m) { DBM_SESSION_OPT(m, "x", s, .timeout = 5) dbm_exec(s, "DELETE"); }
END
    compile "a misspelt field of a model" "agee" $cc <<'END'
#include "dbm.h"
typedef struct user { int id, age; } user;
DBM_MODEL(user, "users", DBM_KEY(id), DBM_FIELD(agee));
END
done
for cc in g++ clang++; do
    cat >one.cpp <<'END'
#include "dbm.h"
struct point { int x, y; };
dbm_status f(dbm_session *s, point p);
dbm_status f(dbm_session *s, point p) { return dbm_exec(s, "DELETE", 1, p); }
END
    check "a struct as a value ($cc)" refuses "one.cpp:4" $cc -std=c++11 -I"$HEADERS" -c one.cpp -o one.o
    cat >one.cpp <<'END'
#include "dbm.h"
dbm_status f(dbm_row *row);
dbm_status f(dbm_row *row) { char buf[20]; return dbm_scan(row, buf); }
END
    check "buf in the place of &buf ($cc)" refuses "one.cpp:3" $cc -std=c++11 -I"$HEADERS" -c one.cpp -o one.o
    check "and why ($cc)" refuses "a buffer is scanned into by its address: &buf" $cc -std=c++11 -I"$HEADERS" -c one.cpp -o one.o
    cat >one.cpp <<'END'
#include "dbm.h"
dbm_status f(dbm_session *s, const int *n);
dbm_status f(dbm_session *s, const int *n) { return dbm_exec(s, "DELETE", n); }
END
    check "a pointer to a number as a value ($cc)" refuses "one.cpp:3" $cc -std=c++11 -I"$HEADERS" -c one.cpp -o one.o
done
finish
