#!/bin/sh
# What the linker sees: names that begin with dbm_, private copies, copies with a prefix, and one clear message when two files
# define DBM_IMPLEMENTATION. And the other dbm.h of this world: ndbm's and gdbm's names are not taken.
. "$(dirname "$0")/../lib.sh"
LIBRARIES="$DRIVER_LIBS -lpthread"

printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$WORK/implementation.c"
cp "$WORK/implementation.c" "$WORK/implementation.cpp"
cp "$WORK/implementation.c" "$WORK/second.c"
printf '#include "dbm.h"\nint main(void) { return dbm_compiled_with("sqlite") ? 0 : 1; }\n' >"$WORK/main.c"
cc() {
    gcc -std=c11 $WARNINGS $DRIVER_CFLAGS -iquote "$HEADERS" "$@"
}

# exports PREFIX OBJECT: every symbol that others see begins so.
exports() {
    defined_names "$2" >"$WORK/names"
    [ -s "$WORK/names" ] && ! grep -v "^$1" "$WORK/names"
}
check "implementation" cc -DDBM_WITH_ALL -c "$WORK/implementation.c" -o "$WORK/implementation.o"
check "every external symbol begins with dbm_" exports dbm_ "$WORK/implementation.o"
check "implementation as C++" g++ -std=c++11 $WARNINGS $DRIVER_CFLAGS -iquote "$HEADERS" -DDBM_WITH_ALL -c "$WORK/implementation.cpp" -o "$WORK/implementation_cpp.o"
weak_or_dbm() {
    nm -g --defined-only "$1" | awk 'NF >= 3 && $2 !~ /[VWu]/ { print $NF }' | grep -v '^DW\.ref\.' >"$WORK/names"
    [ -s "$WORK/names" ] && ! grep -v '^dbm_' "$WORK/names"
}
check "every external symbol of the C++ object begins with dbm_" weak_or_dbm "$WORK/implementation_cpp.o"
check "a C program links with the C++ object" cc "$WORK/main.c" "$WORK/implementation_cpp.o" $LIBRARIES -lstdc++ -o "$WORK/program"
check "a program links" cc "$WORK/main.c" "$WORK/implementation.o" $LIBRARIES -o "$WORK/program"
check "and runs" "$WORK/program"

# Two static copies.
for copy in one two; do
    printf '#define DBM_STATIC\n#define DBM_IMPLEMENTATION\n#include "dbm.h"\nint copy_%s(void);\nint copy_%s(void) { return (int)dbm_compiled_with("sqlite"); }\n' \
        $copy $copy >"$WORK/static_$copy.c"
    check "static copy $copy" cc -DDBM_WITH_ALL -c "$WORK/static_$copy.c" -o "$WORK/static_$copy.o"
    check "static copy $copy exports nothing else" exports copy_ "$WORK/static_$copy.o"
done
printf 'int copy_one(void);\nint copy_two(void);\nint main(void) { return copy_one() + copy_two() == 2 ? 0 : 1; }\n' >"$WORK/copies.c"
check "two static copies in one program" cc "$WORK/copies.c" "$WORK/static_one.o" "$WORK/static_two.o" $LIBRARIES -o "$WORK/program"
check "run" "$WORK/program"
check "two static copies beside a shared one" cc "$WORK/copies.c" "$WORK/static_one.o" "$WORK/static_two.o" "$WORK/implementation.o" $LIBRARIES -o "$WORK/program"

# Two copies with prefixes, each with a user of its own.
for copy in one two; do
    printf '#define DBM_PREFIX %s_\n#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' $copy >"$WORK/prefix_$copy.c"
    printf '#define DBM_PREFIX %s_\n#include "dbm.h"\nint copy_%s(void);\nint copy_%s(void) { dbm_session s; return (int)dbm_compiled_with("sqlite") + (dbm_session_begin(NULL, NULL, &s) == DBM_OK); }\n' \
        $copy $copy $copy >"$WORK/prefix_user_$copy.c"
    check "prefix $copy" cc -DDBM_WITH_ALL -c "$WORK/prefix_$copy.c" -o "$WORK/prefix_$copy.o"
    check "every external symbol begins with ${copy}_" exports ${copy}_ "$WORK/prefix_$copy.o"
done
check "two copies with prefixes in one program" cc "$WORK/copies.c" "$WORK/prefix_one.o" "$WORK/prefix_two.o" "$WORK/prefix_user_one.c" "$WORK/prefix_user_two.c" $LIBRARIES -o "$WORK/program"
check "run" "$WORK/program"
check "a prefixed copy beside a plain one" cc "$WORK/main.c" "$WORK/prefix_one.o" "$WORK/implementation.o" $LIBRARIES -o "$WORK/program"

# Two implementations.
check "second implementation" cc -c "$WORK/second.c" -o "$WORK/second.o"
check "two files that define DBM_IMPLEMENTATION" refuses dbm__only_one_file_may_define_DBM_IMPLEMENTATION \
    gcc "$WORK/main.c" -iquote "$HEADERS" "$WORK/implementation.o" "$WORK/second.o" $LIBRARIES -o "$WORK/program"

# <dbm.h> of gdbm and POSIX <ndbm.h>, before and behind, with and without the implementation.
NDBM="dbm_open dbm_close dbm_fetch dbm_store dbm_delete dbm_firstkey dbm_nextkey dbm_error dbm_clearerr dbm_dirfno dbm_pagfno dbm_rdonly dbm_forder"
MACROS="DBM DBM_INSERT DBM_REPLACE DBM_RDONLY DBM_SUFFIX DBM_PAGFNO_NOT_AVAILABLE"
for system in '<dbm.h>' '<ndbm.h>' '<gdbm.h>'; do
    printf '#include %s\n#include "dbm.h"\nint main(void) { return 0; }\n' "$system" >"$WORK/before.c"
    printf '#include "dbm.h"\n#include %s\nint main(void) { return 0; }\n' "$system" >"$WORK/behind.c"
    printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n#include %s\nint main(void) { return 0; }\n' "$system" >"$WORK/with.c"
    for order in before behind with; do
        check "$system $order \"dbm.h\"" cc -D_POSIX_C_SOURCE=200809L -c "$WORK/$order.c" -o "$WORK/out.o"
    done
done
{
    printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n'
    for name in $NDBM $MACROS; do
        printf '#if defined(%s)\n#error "%s is taken"\n#endif\n' "$name" "$name"
    done
    for name in $NDBM $MACROS; do
        printf 'typedef struct %s { int x; } %s;\n' "$name" "$name"
    done
} >"$WORK/names.c"
check "no name of ndbm or gdbm is taken" cc -DDBM_WITH_ALL -c "$WORK/names.c" -o "$WORK/out.o"
printf '#include "dbm.h"\n#include <ndbm.h>\nint main(void) { DBM *d = dbm_open("x", 0, 0); if (d) dbm_close(d); return dbm_compiled_with("sqlite") ? 0 : 1; }\n' >"$WORK/both.c"
check "a program that uses both" cc "$WORK/both.c" "$WORK/implementation.o" -lgdbm_compat -lgdbm $LIBRARIES -o "$WORK/program"
check "runs" "$WORK/program"
finish
