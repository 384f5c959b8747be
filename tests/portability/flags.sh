#!/bin/sh
# Each switch alone, all of them, and none: the implementation compiles without a warning, and what a switch leaves out is not
# asked of the linker.
. "$(dirname "$0")/../lib.sh"

printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$WORK/implementation.c"
cat >"$WORK/own.h" <<'EOF'
#include <stddef.h>
#include <stdint.h>
void *my_malloc(size_t size);
void *my_realloc(void *block, size_t size);
void my_free(void *block);
int64_t my_clock_us(void);
void my_assert(int ok);
EOF
cat >"$WORK/user.c" <<'EOF'
#include "dbm.h"
#include <stdio.h>
int main(void) {
    dbm_manager *mgr = NULL;
    dbm_status rc = dbm_manager_create(&mgr, NULL);
    printf("%s\n", dbm_status_name(rc));
    dbm_manager_free(mgr);
    return rc != DBM_OK;
}
EOF
WITHOUT="-DDBM_NO_THREADS -DDBM_NO_STDIO -DDBM_NO_ENV -DDBM_NO_FLOAT -DDBM_NO_LOG_TEXT -DDBM_SQLITE_NO_MEMSTATUS -DDBM_NO_ATOMICS -DDBM_NO_MEMBARRIER -DDBM_NO_CLEANUP -DDBM_NO_GENERIC"
OWN_MEMORY="-DDBM_MALLOC=my_malloc -DDBM_REALLOC=my_realloc -DDBM_FREE=my_free"

compile() {
    compiler=$1
    shift
    "$compiler" -std=c11 $WARNINGS $DRIVER_CFLAGS -iquote "$HEADERS" "$@" -c "$WORK/implementation.c" -o "$WORK/out.o"
}

for compiler in gcc clang; do
    check "$compiler: none" compile "$compiler"
    for flag in $WITHOUT $BACKENDS $LOOPS -DDBM_WITH_ALL -DDBM_STATIC -DDBM_PREFIX=my_ -DDBM_NO_CONFIG \
        '-DDBM_ASSERT(x)=my_assert(!!(x))' '-DDBM_CLOCK_US=my_clock_us'; do
        check "$compiler: $flag" compile "$compiler" "$flag" -include "$WORK/own.h" -D_POSIX_C_SOURCE=200809L
    done
    for flag in $WITHOUT; do
        check "$compiler: $flag with all backends" compile "$compiler" "$flag" -DDBM_WITH_ALL $LOOPS
    done
    check "$compiler: memory of the program's own" compile "$compiler" $OWN_MEMORY -include "$WORK/own.h" -D_POSIX_C_SOURCE=200809L
    check "$compiler: all that leave out, together" compile "$compiler" $WITHOUT
    check "$compiler: all that leave out, with all backends" compile "$compiler" $WITHOUT -DDBM_WITH_ALL
    check "$compiler: all together" compile "$compiler" $WITHOUT -DDBM_WITH_ALL -DDBM_PREFIX=my_ $OWN_MEMORY \
        -DDBM_CLOCK_US=my_clock_us '-DDBM_ASSERT(x)=my_assert(!!(x))' -include "$WORK/own.h" -D_POSIX_C_SOURCE=200809L
done

# needs_not PATTERN FLAGS...: the object asks the linker for no symbol of this kind.
needs_not() {
    pattern=$1
    shift
    compile gcc -O1 "$@" && needed_names "$WORK/out.o" >"$WORK/needed" && lacks "$pattern" "$WORK/needed"
}
check "DBM_NO_THREADS needs no thread library" needs_not '^(pthread_|__tls|sem_|cnd_|mtx_)' -DDBM_NO_THREADS
check "DBM_NO_STDIO needs no stdio" needs_not '^(std(in|out|err)|f?printf|sn?printf|v.*printf|fopen.*|fputs|fwrite|fread|fclose|putc.*|puts|__.*printf_chk)$' -DDBM_NO_STDIO
check "DBM_NO_ENV needs no environment" needs_not '^(secure_)?getenv$|^environ$' -DDBM_NO_ENV
check "DBM_NO_FLOAT needs no floating point" needs_not '^(strtod|strtof|strtold|floor|ceil|pow|frexp|ldexp|modf|fmod|__.*(df|sf)[0-9]?)$' -DDBM_NO_FLOAT
check "DBM_MALLOC and its fellows take the place of malloc" needs_not '^(malloc|calloc|realloc|free)$' $OWN_MEMORY -include "$WORK/own.h" -D_POSIX_C_SOURCE=200809L
check "no format is the C library's" needs_not '^(s|sn|vs|vsn)printf$|_chk$' -U_FORTIFY_SOURCE
check "no process-wide effect" needs_not '^(exit|_exit|abort|setjmp|_setjmp|longjmp|signal|atexit|setlocale|strtok|rand|srand|localtime|gmtime)$'

# A program made with the smallest implementation runs; so does one where only one file sees the switches.
runs() {
    gcc -std=c11 $WARNINGS $DRIVER_CFLAGS -iquote "$HEADERS" "$@" -c "$WORK/implementation.c" -o "$WORK/out.o" &&
        gcc -std=c11 $WARNINGS -iquote "$HEADERS" "$WORK/user.c" "$WORK/out.o" $libraries -o "$WORK/program" &&
        "$WORK/program"
}
libraries=
check "a program with all that leaves out runs" runs $WITHOUT
libraries="$DRIVER_LIBS -lpthread"
check "a program with all backends runs; only one file needs the switches" runs -DDBM_WITH_ALL
libraries="$LOOP_LIBS -lpthread"
check "a program with all loops of others runs" runs $LOOPS
finish
