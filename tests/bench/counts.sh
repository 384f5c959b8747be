#!/bin/sh
# The exact counts: instructions (callgrind), allocations and sends of one operation, raw driver and dbm.h, against tests/bench/budgets. Part of
# the tests; `sh tests/bench/counts.sh [ROWS OR GROUPS]` for some. The same binary gives the same figures on any machine, however busy.
# Rows with a server are counted when DBM_TEST_SERVERS says where the servers are (sh tests/servers/all.sh start DIR && . DIR/env), and are an
# error when they are asked for by name without. OVER is over the budget; the test fails when a
# count is over its limit, which is the budget or, where that is not met yet, what has been reached.
. "$(dirname "$0")/lib.sh"

chosen() {
    [ -n "$names" ] || { [ -n "${DBM_TEST_SERVERS:-}" ] || [ "$(group_of "$1")" = sqlite ]; return; }
    for name in $names; do case $1 in "$name" | "$name"_*) return 0 ;; esac; done
    return 1
}
# thousandths FIELD LINE
thousandths() { echo "$2" | json "$1" | awk '{ printf "%d\n", $1 * 1000 + ($1 < 0 ? -0.5 : 0.5) }'; }
# reference: the instructions and the calls of a raw variant, counted once.
reference() { # ROW VARIANT
    if [ ! -f "$WORK/$1.$2.raw" ]; then
        { instructions raw "$1" "$2" && calls raw "$1" "$2"; } >"$WORK/$1.$2.raw" || exit 2
    fi
    { read -r raw_instructions && read -r raw_calls; } <"$WORK/$1.$2.raw"
}

failed=0 passed=0 over=0
# judge WHAT COUNTED BUDGET LIMIT: a column of the line.
judge() {
    [ "$4" != - ] || return 0
    verdict='ok    ' note= passed=$((passed + 1))
    if [ "$3" != - ] && [ "$2" -gt "$3" ]; then note="  OVER the budget; limit $4" over=$((over + 1)); fi
    if [ "$2" -gt "$4" ]; then verdict='not ok' passed=$((passed - 1)) failed=$((failed + 1)); fi
    if [ "$3" = - ]; then set -- "$1" "$2" "$4" "$4" "$5" "$6" limit; fi
    printf '%s %-23s %-10s %-17s %8s against %6s: %6s, %s %5s%s\n' "$verdict" "$row" "$variant" "$1" "$5" "$6" "$2" "${7:-budget}" "$3" "$note"
}

names=$*
found=
while read -r row variant over_what _ instr_budget instr_limit alloc_budget alloc_limit send_limit _; do
    case $row in '' | '#'*) continue ;; esac
    chosen "$row" || continue
    found=1
    raw_instructions=0 raw_calls='"allocations":0,"sends":0,'
    case $over_what in
        -) ;;
        raw) reference "$row" - ;;
        raw/*) reference "$row" "${over_what#raw/}" ;;
        *) fatal "budgets: $row: over $over_what? expected raw, raw/VARIANT or -" ;;
    esac
    if [ "$instr_limit" != - ]; then
        counted=$(instructions dbm "$row" "$variant") || exit 2
        judge instructions $((counted - raw_instructions)) "$instr_budget" "$instr_limit" "$counted" "$raw_instructions"
    fi
    called=$(calls dbm "$row" "$variant") || exit 2
    for what in allocations sends; do
        mine=$(thousandths "$what" "$called") theirs=$(thousandths "$what" "$raw_calls")
        if [ "$what" = sends ]; then set -- "$send_limit" "$send_limit"; else set -- "$alloc_budget" "$alloc_limit"; fi
        judge "$what/1000" $((mine - theirs)) "$1" "$2" "$mine" "$theirs"
    done
done <"$ROOT/tests/bench/budgets"
[ -n "$found" ] || fatal "no row of tests/bench/budgets is called ${names:-anything}"
echo "$passed passed, $failed failed, $over over the budget"
[ "$failed" -eq 0 ]
