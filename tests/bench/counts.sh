#!/bin/sh
# Counts the instructions of one operation by callgrind, raw driver and dbm.h, and compares them with the budgets.
# A count is the difference between runs of N1 and N2 times, so start-up and clean-up are not in it. Exact: the same binary gives the same.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/dbm-counts.XXXXXX")
trap 'rm -rf "$work"' EXIT
n1=640 n2=1920
cc=${CC:-gcc}
$cc -std=c11 -O2 -g -DDBM_WITH_SQLITE -I"$root" "$root/tests/bench/counts.c" -o "$work/counts" -lsqlite3 -lpthread
sqlite3 "$work/t.db" "PRAGMA journal_mode=WAL; CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER);
  WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<100) INSERT INTO users SELECT i, 'name '||i, i%90 FROM c;" >"$work/out"
total() { # mode n
    valgrind --tool=callgrind --callgrind-out-file="$work/cg.$1.$2" "$work/counts" "$1" "$work/t.db" "$2" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 2; }
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/log"
}
per() { # mode
    a=$(total "$1" $n1); b=$(total "$1" $n2)
    echo $(( (b - a + (n2 - n1) / 2) / (n2 - n1) ))
}
failed=0 passed=0
report() { # what, counted, budget, over raw without mutexes
    if [ "$2" -le "$3" ]; then verdict=ok; passed=$((passed + 1)); else verdict=OVER; failed=$((failed + 1)); fi
    printf '%-62s %6d  budget %4d  %s%s\n' "$1" "$2" "$3" "$verdict" "${4:+  (over raw without mutexes: $4)}"
}
# The budgets are over the driver as it is written by hand: sqlite3_open(), statements prepared once. What SQLITE_OPEN_NOMUTEX, which dbm.h
# uses, saves the raw driver too is shown beside it.
raw=$(per raw_lookup) rawn=$(per rawn_lookup) rawtx=$(per raw_session) rawtxn=$(per rawn_session)
prepared=$(per prepared) text=$(per text) session=$(per session_text) loop=$(per loop)
printf '%-62s %6d  (without mutexes %d)\n' "raw: lookup, one long transaction" "$raw" "$rawn" "raw: BEGIN, lookup, COMMIT, all prepared" "$rawtx" "$rawtxn"
report "lookup through a prepared handle, over raw" $((prepared - raw)) 150 "$((prepared - rawn))"
report "lookup by text (cache hit), over raw" $((text - raw)) 250 "$((text - rawn))"
report "a session each with one lookup by text, over raw" $((session - rawtx)) 550 "$((session - rawtxn))"
report "take and put of a pool's slot" $(($(per slot) - loop)) 60 ""
report "an empty DBM_SESSION_ON" "$(per empty_on)" 300 ""
report "an empty DBM_SESSION by name" "$(per empty_name)" 350 ""
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
