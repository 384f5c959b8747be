#!/bin/sh
# SQLite's writers under threads: what 8 threads commit a second beside what one does, each row in a transaction of its own, at synchronous
# NORMAL and FULL; how long a writer waits for its turn; and whether readers are held up. Runs of 1 and 8 threads alternate, medians count.
# Needs a C compiler, sqlite3 and its header. Not part of the tests: it measures time.
#
#   sh tests/bench/sqlite_threads.sh [ROUNDS [MILLISECONDS [LONG_MILLISECONDS]]]      5 rounds of 1000 ms, and 10 s for the longest wait
#
# In the environment: TMPDIR, where the file lies: its disk decides about FULL.
set -eu
rounds=${1:-5} ms=${2:-1000} long=${3:-10000}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/dbm-threads.XXXXXX")
trap 'rm -rf "$work"' EXIT
${CC:-gcc} -std=c11 -O2 -g -D_GNU_SOURCE -DDBM_WITH_SQLITE -I"$root" "$root/tests/bench/sqlite_threads.c" -o "$work/run" -lsqlite3 -lpthread
run() { # raw|dbm SYNCHRONOUS WRITERS READERS MS -> a line in results, see sqlite_threads.c; a new file each time
    rm -f "$work/t.db" "$work/t.db-wal" "$work/t.db-shm"
    sqlite3 "$work/t.db" "PRAGMA journal_mode=WAL; CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER);
        CREATE TABLE log(who INTEGER, what TEXT, n INTEGER);
        WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<100) INSERT INTO users SELECT i, 'name '||i, i%90 FROM c;" >"$work/out"
    "$work/run" "$1" "$work/t.db" "$2" "$3" "$4" "$5" >>"$work/$1.$2.$3.$4"
}
column() { cut -d' ' -f"$2" "$work/$1"; }
median() { column "$1" "$2" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
most() { column "$1" "$2" | sort -n | tail -n 1; }
failed=0
verdict() { if [ "$1" -eq 1 ]; then echo ok; else echo "NOT MET"; failed=1; fi; }
for synchronous in NORMAL FULL; do
    for _ in $(seq "$rounds"); do
        for kind in dbm raw; do for threads in 1 8; do run $kind $synchronous $threads 0 "$ms"; done; done
    done
    for kind in dbm raw; do
        one=$(median $kind.$synchronous.1.0 1) eight=$(median $kind.$synchronous.8.0 1)
        ratio=$(awk -v a="$one" -v b="$eight" 'BEGIN { printf "%.2f", b / a }')
        printf '%-7s %s  one thread %7d a second, 8 threads %7d: %s x; longest wait %d us, SQLITE_BUSY %d' $synchronous $kind "$one" "$eight" "$ratio" \
            "$(most $kind.$synchronous.8.0 2)" "$(most $kind.$synchronous.8.0 6)"
        if [ $kind = dbm ]; then
            printf '  at least 0.75 x, none busy: '
            verdict "$(awk -v r="$ratio" -v b="$(most dbm.$synchronous.8.0 6)" -v f="$(most dbm.$synchronous.8.0 7)" 'BEGIN { print r >= 0.75 && b == 0 && f == 0 }')"
        else
            printf '  (BEGIN IMMEDIATE and sqlite3_busy_timeout by hand)\n'
        fi
    done
done
: >"$work/dbm.NORMAL.8.0"
run dbm NORMAL 8 0 "$long"
printf '8 writers at NORMAL for %d ms: the longest wait was %d us, SQLITE_BUSY %d  at most 100 ms, none: ' "$long" "$(most dbm.NORMAL.8.0 2)" "$(most dbm.NORMAL.8.0 6)"
verdict "$(awk -v w="$(most dbm.NORMAL.8.0 2)" -v b="$(most dbm.NORMAL.8.0 6)" -v f="$(most dbm.NORMAL.8.0 7)" 'BEGIN { print w <= 100000 && b == 0 && f == 0 }')"
# Two readers beside one writer and beside 8: writers who wait for their turn must cost them nothing.
for _ in $(seq "$rounds"); do for writers in 0 1 8; do run dbm NORMAL $writers 2 "$ms"; done; done
printf '2 readers: %d reads a second alone, %d beside one writer, %d beside 8; longest read %d, %d, %d us, failures %d\n' \
    "$(median dbm.NORMAL.0.2 4)" "$(median dbm.NORMAL.1.2 4)" "$(median dbm.NORMAL.8.2 4)" \
    "$(most dbm.NORMAL.0.2 5)" "$(most dbm.NORMAL.1.2 5)" "$(most dbm.NORMAL.8.2 5)" "$(most dbm.NORMAL.8.2 7)"
exit $failed
