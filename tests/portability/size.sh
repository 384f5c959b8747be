#!/bin/sh
# dbm.h stays small enough for tools and cheap enough for every file that includes it.
. "$(dirname "$0")/../lib.sh"

lines=$(wc -l <"$HEADERS/dbm.h" | tr -d ' ')
check "dbm.h is under 32,000 lines ($lines), so that no line has a number past 32,767" test "$lines" -lt 32000

# The first declaration comes soon: 500 lines of manual at the most.
first=$(awk '/^#ifndef DBM_DATABASE_MANAGER_H/ { print NR; exit }' "$HEADERS/dbm.h")
check "the manual before the first declaration has at most 500 lines (${first:-none})" test "${first:-9999}" -le 501

# 50 ms is the promise; the check allows twice that, so that a busy machine does not fail it.
cat >"$WORK/parse.py" <<'EOF'
import resource, subprocess, sys
def best(name):
    times = []
    for _ in range(10):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(["gcc", "-std=c11", "-fsyntax-only", "-iquote", sys.argv[1], name], check=True)
        times.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return min(times)
empty = sys.argv[2] + "/empty.c"
header = sys.argv[2] + "/header.c"
open(empty, "w").write("int x;\n")
open(header, "w").write('#include "dbm.h"\nint x;\n')
print("%d" % round((best(header) - best(empty)) * 1000))
EOF
ms=$(python3 "$WORK/parse.py" "$HEADERS" "$WORK")
check "the declarations parse in 50 ms (${ms:-no result} ms)" test "${ms:-9999}" -le 100
printf '#include "dbm.h"\n' | gcc -std=c11 -E -iquote "$HEADERS" - 2>/dev/null | grep -o '^# [0-9]* "/usr[^"]*"' | sed 's/.*"\(.*\)"/\1/' | sort -u >"$WORK/headers"
check "the declarations include stddef.h, stdint.h and stdbool.h only" lacks '/(stdio|stdlib|string|time|pthread|errno|unistd|sqlite3|ini|windows)\.h$' "$WORK/headers"

# What dbm_config.h says under Costs is what gcc -Os makes of it: within a fifth, or 2 KiB.
printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$WORK/implementation.c"
code() { # flags: bytes of code and constants
    gcc -std=c11 -Os "$@" $DRIVER_CFLAGS -iquote "$HEADERS" -c "$WORK/implementation.c" -o "$WORK/code.o" && size "$WORK/code.o" | awk 'NR == 2 { print $1 }'
}
stated() { # option: the number of KiB in its comment
    awk -v option="/* $1:" 'index($0, option) == 1 { on = 1 } on && /Costs/ { if (match($0, /about [0-9]+ KiB/)) print substr($0, RSTART + 6, RLENGTH - 10); exit }' \
        "$HEADERS/dbm_config.h"
}
costs() { # option, sign: what it adds or saves, against what is said
    if [ "$1" = DBM_WITH_ASYNC ]; then bytes=$async; else bytes=$(code "-D$1"); fi
    measured=$(( (bytes - base) * $2 / 1024 ))
    said=$(stated "$1")
    slack=$(( ${said:-0} / 5 )); [ "$slack" -ge 2 ] || slack=2
    check "$1: dbm_config.h says about ${said:-nothing} KiB, measured $measured" \
        test "$measured" -ge $(( ${said:--999} - slack )) -a "$measured" -le $(( ${said:--999} + slack ))
}
none=$(code) async=$(code -DDBM_WITH_ASYNC)
base=$none
costs DBM_WITH_SQLITE 1
costs DBM_WITH_POSTGRESQL 1
costs DBM_WITH_MYSQL 1
costs DBM_WITH_REDIS 1
costs DBM_WITH_MONGODB 1
costs DBM_WITH_INI 1
costs DBM_WITH_ASYNC 1
base=$async # which loops bring
for loop in LIBUV LIBEV LIBEVENT; do costs DBM_WITH_$loop 1; done
base=$none
costs DBM_NO_THREADS -1
costs DBM_NO_FLOAT -1
finish
