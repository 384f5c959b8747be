#!/bin/sh
# Blocks where there is no cleanup attribute: DBM_RETURN and DBM_GOTO in the place of return and goto. The same program, where there
# is one, means the same.
. "$(dirname "$0")/../lib.sh"

here=$ROOT/tests/portability
# try NAME COMMAND...: builds fallback.c and runs it in a directory of its own
try() {
    name=$1
    shift
    mkdir "$WORK/db"
    check "$name: builds" "$@" -iquote "$HEADERS" -DDBM_WITH_SQLITE "$here/fallback.c" -lsqlite3 -lpthread -o "$WORK/fallback" &&
        check "$name: runs" "$WORK/fallback" "$WORK/db"
    rm -rf "$WORK/db" "$WORK/fallback"
}

try "gcc -DDBM_NO_CLEANUP" gcc -std=c11 -O1 $WARNINGS -DDBM_NO_CLEANUP -DNO_AUTO
try "gcc -std=c99 -DDBM_NO_CLEANUP" gcc -std=c99 -O1 $WARNINGS -DDBM_NO_CLEANUP -DNO_AUTO
try "clang -DDBM_NO_CLEANUP, sanitizers" clang -std=c11 -O1 $WARNINGS -fsanitize=address,undefined -fno-sanitize-recover=all -DDBM_NO_CLEANUP -DNO_AUTO
try "gcc, with the attribute" gcc -std=c11 -O1 $WARNINGS
if has tcc; then
    mkdir "$WORK/db"
    check "tcc: builds" tcc -Wall -Werror "-I$HEADERS" -DDBM_WITH_SQLITE -DNO_AUTO "$here/fallback.c" -lsqlite3 -o "$WORK/fallback" &&
        check "tcc: runs" "$WORK/fallback" "$WORK/db"
fi
finish
