#!/bin/sh
# Every language standard and compiler takes dbm.h without a warning: its declarations alone, and its implementation with no
# backend and with all of them.
. "$(dirname "$0")/../lib.sh"

for ext in c cpp; do
    printf '#include "dbm.h"\nint main(void) { return 0; }\n' >"$WORK/declarations.$ext"
    printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$WORK/implementation.$ext"
done

# try COMPILER STANDARD EXTENSION
try() {
    compiler=$1 standard=$2 ext=$3
    for form in "declarations" "implementation" "implementation -DDBM_WITH_ALL $LOOPS"; do
        set -- $form
        what=$1
        shift
        check "$compiler -std=$standard: $form" "$compiler" "-std=$standard" $WARNINGS $DRIVER_CFLAGS -iquote "$HEADERS" "$@" \
            -c "$WORK/$what.$ext" -o "$WORK/out.o"
    done
}

for standard in c99 c11 c17; do
    try gcc "$standard" c
    try clang "$standard" c
done
for standard in c++11 c++17; do
    try g++ "$standard" cpp
    try clang++ "$standard" cpp
done
# With optimisation compilers see more to warn of.
for compiler in gcc clang; do
    check "$compiler -O2: implementation with all" "$compiler" -std=c11 -O2 $WARNINGS $DRIVER_CFLAGS -iquote "$HEADERS" -DDBM_WITH_ALL \
        -c "$WORK/implementation.c" -o "$WORK/out.o"
done
check "gcc -Os -m32: declarations" gcc -m32 -ffreestanding -std=c11 $WARNINGS -iquote "$HEADERS" -c "$WORK/declarations.c" -o "$WORK/out.o"
# The declarations take no name that windows.h and others define as macros.
check "no parameter or field is named small near far interface hyper" gcc -std=c11 $WARNINGS -iquote "$HEADERS" \
    '-Dsmall=?' '-Dnear=?' '-Dfar=?' '-Dinterface=?' '-Dhyper=?' -c "$WORK/declarations.c" -o "$WORK/out.o"
finish
