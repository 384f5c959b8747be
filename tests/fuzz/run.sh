#!/bin/sh
# Fuzzes for a while: `sh tests/fuzz/run.sh` for every tests/fuzz/fuzz_*.c, `sh tests/fuzz/run.sh fuzz_sql` for some. Each is built with clang's
# libFuzzer, ASan and UBSan, and runs from a fixed seed on a small corpus that is made here. A finding fails the run, and its input is
# printed in base64, to be replayed: `base64 -d >input && ./fuzz_sql input`.
# In the environment: FUZZ_SECONDS (for each target, default 10), or FUZZ_RUNS (inputs for each target, a twentieth of them for fuzz_sql,
# which runs whole sessions: the same ones each time); FUZZ_SEED (default 1), FUZZ_CORPUS (a directory to keep what is found interesting
# in, one folder for each target).
. "$(dirname "$0")/../lib.sh"
SECONDS_EACH=${FUZZ_SECONDS:-10}
SEED=${FUZZ_SEED:-1}
RUNS=${FUZZ_RUNS:-0}
case $SECONDS_EACH in '' | *[!0-9]*) echo "FUZZ_SECONDS is not a number: $SECONDS_EACH"; exit 1 ;; esac
case $RUNS in *[!0-9]*) echo "FUZZ_RUNS is not a number: $RUNS"; exit 1 ;; esac
cd "$ROOT" || exit 1

# seed NAME BYTES: one input of the corpus; BYTES as printf reads them.
seed() {
    printf "$2" >"$corpus/$1"
}

corpus_of() {
    corpus=${FUZZ_CORPUS:-$WORK/corpus}/$1
    mkdir -p "$corpus"
    case $1 in
        fuzz_config)
            seed ini '\000[databases.default]\nurl = sqlite:///app.db\npool_size = 5\nmax_overflow=10 ; more\nbusy_timeout = 5s\n'
            seed ini2 '\000[databases.a]\ntype = postgresql\nurl = postgresql+psycopg2://u:p%%40ss@h1:5432,[::1]/db?sslmode=require&x=y\ntls = require\ninit_sql = SET x TO y; SELECT 1\n'
            seed ini3 '\000# c\n[databases.x]\nurl=neo4j://${S}:${NOPE:-d}@h\nrealm = $${S}\npool_recycle = 30min\nleak_warning = 2.5\n[database.y]\n[other]\nk=v\n'
            seed url '\001postgresql://user:secret@host:1234/name?connect_timeout=10&application_name=a%%20b'
            seed url2 '\001mongodb+srv://u:p@h.example/db?tls=true'
            seed code '\002a\000sqlite\000sqlite:///:memory:\000busy_timeout\0005s\000\001\000\000\000'
            seed redact '\003could not connect to postgresql://u:pass@h/db password=pass user=u'
            ;;
        fuzz_lexer)
            seed a '\000\000SELECT a, "b?", [c?], `d` FROM t WHERE x = ? AND y = ?? -- c ?\n'
            seed b "\002\001SELECT \$1, E'\\\\'?', \$tag\$ ? \$tag\$ /* a /* b */ ? */ WHERE x = ?"
            seed c '\003\002INSERT INTO t VALUES (?, "a\\"?") # c\n; UPDATE t SET a = ?'
            seed d '\001\100SELECT :name, :name2::int, x::text FROM t; CREATE TRIGGER g BEGIN SELECT 1; END; DELETE FROM t'
            ;;
        fuzz_sql)
            seed a '\000\000\002\000\001\007\007\003abcINSERT INTO t(a, b) VALUES (?, ?)\n\001\000SELECT * FROM t\n'
            seed b '\200\002\001\000\001\002SELECT a, b FROM t WHERE id = ?\n\003\000SELECT count(*), 1.5, x'"'"'00'"'"' FROM t\n'
            seed c '\001\004\000CREATE TABLE u(a); INSERT INTO u VALUES (1); DROP TABLE u\n\005\000INSERT INTO t(b) VALUES (3)\n\006\000SELECT * FROM t ORDER BY id\n'
            seed d '\100\006\000WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 9) SELECT n, hex(n) FROM c\n\027\000\n\000\000PRAGMA foreign_keys\n'
            seed e '\002\002\002\200\001\005\223\002hiSELECT :a, :b\n\361\000SELECT max(a), group_concat(b) FROM t GROUP BY a HAVING a > 0\n\047\000\n'
            seed f '\003\000\000BEGIN\n\000\000COMMIT\n\000\000SAVEPOINT x\n\000\000ALTER TABLE t ADD COLUMN c DEFAULT 5\n\001\000SELECT * FROM t\n'
            ;;
        *) seed a 'a' ;;
    esac
}

dictionary_of() {
    {
        for word in SELECT INSERT INTO VALUES UPDATE DELETE FROM WHERE ORDER BY LIMIT WITH RECURSIVE RETURNING CREATE TABLE INDEX VIEW TRIGGER TEMP DROP ALTER \
            ATTACH DETACH PRAGMA BEGIN COMMIT ROLLBACK SAVEPOINT RELEASE EXPLAIN VACUUM REPLACE CONFLICT UNION JOIN CASE WHEN END NULL \
            random last_insert_rowid zeroblob quote hex printf json_each query_only max_page_count; do
            echo "\"$word \""
        done
        for word in '?' '??' ':a' '$1' '/*' '*/' '--' "'" '\"' '[' ']' '`' '$$' ';' '\x0a' '\x00' 'databases.' 'url = ' 'sqlite:///' '${S}' '%40' '://' '@'; do
            echo "\"$word\""
        done
    } >"$WORK/dictionary"
}

if ! has clang; then
    echo "clang is missing: apt-get install clang"
    exit 1
fi
printf '#include <stdint.h>\n#include <stddef.h>\nint LLVMFuzzerTestOneInput(const uint8_t *d, size_t n);\nint LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { (void)d; (void)n; return 0; }\n' >"$WORK/probe.c"
if ! clang -fsanitize=fuzzer,address,undefined "$WORK/probe.c" -o "$WORK/probe" 2>"$WORK/probe.log"; then
    tail -n 3 "$WORK/probe.log"
    echo "clang's libFuzzer is missing: apt-get install libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
    exit 1
fi
dictionary_of

build() {
    clang -std=c11 -g -O1 $WARNINGS -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -I"$HEADERS" -DDBM_WITH_SQLITE -DDBM_WITH_INI \
        "tests/fuzz/$1.c" -lsqlite3 -linih -lpthread -o "$WORK/$1"
}

fuzz() {
    fuzz_found=$WORK/found-$1-
    limit=-max_total_time=$SECONDS_EACH
    if [ "$RUNS" -gt 0 ]; then
        limit=-runs=$RUNS
        if [ "$1" = fuzz_sql ]; then limit=-runs=$((RUNS / 20 + 1)); fi
    fi
    ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        "$WORK/$1" -seed="$SEED" "$limit" -timeout=20 -rss_limit_mb=3000 -max_len=2048 -dict="$WORK/dictionary" \
        -artifact_prefix="$fuzz_found" -print_final_stats=1 "$corpus" >"$WORK/$1.log" 2>&1
    fuzz_status=$?
    if [ "$fuzz_status" -ne 0 ]; then
        grep -v '^#[0-9]*[[:space:]]*\(NEW\|REDUCE\|pulse\|INITED\|RELOAD\)' "$WORK/$1.log" | tail -n 36
        for artifact in "$fuzz_found"*; do
            if [ -f "$artifact" ]; then base64 -w 0 "$artifact" && echo; fi
        done
    fi
    return "$fuzz_status"
}

for target in tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    if [ $# -gt 0 ]; then
        case " $* " in *" $name "*) ;; *) continue ;; esac
    fi
    check "$name builds" build "$name" || continue
    corpus_of "$name"
    if [ "$RUNS" -gt 0 ]; then how="a fixed number of inputs"; else how="$SECONDS_EACH s"; fi
    if check "$name for $how" fuzz "$name"; then
        awk -v name="$name" '/stat::number_of_executed_units/ { runs = $2 } /cov: [0-9]+/ { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
            END { printf "    %s: %d inputs, %d places in the code\n", name, runs, cov }' "$WORK/$name.log"
    fi
done
finish
