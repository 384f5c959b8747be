#!/bin/sh
# dbm.h stays small enough for tools and cheap enough for every file that includes it.
. "$(dirname "$0")/../lib.sh"

lines=$(wc -l <"$HEADERS/dbm.h" | tr -d ' ')
check "dbm.h is under 32,000 lines ($lines)" test "$lines" -lt 32000

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
finish
