#!/bin/sh
# Every example: built with gcc and clang in C99 and C11 (C++11 and C++17) without a warning, run, its output compared; and the
# script that users start with.
. "$(dirname "$0")/lib.sh"

# tree: what lies in the repository, so that litter is seen.
tree() { (cd "$ROOT" && find . -path ./.git -prune -o -type f ! -name '*.pyc' -print | LC_ALL=C sort); }
tree >"$WORK/tree.before"

# says TEXT: the example printed this line, or one that contains it.
says() { grep -F -q -e "$1" "$WORK/said" || { echo "it did not print: $1"; cat "$WORK/said"; return 1; }; }
mute() { [ ! -s "$WORK/errors" ] || { echo "it wrote to stderr:"; cat "$WORK/errors"; return 1; }; }

# run NAME: in a directory of its own; twice, because the second run finds the files of the first.
run() {
    mkdir -p "$WORK/in" && cp "$ROOT/examples/integration.ini" "$WORK/in/" || return 1
    rounds="1 2"
    if [ "$1" = threads ]; then rounds=1; fi
    for round in $rounds; do
        (cd "$WORK/in" && "$WORK/$1" >"$WORK/said" 2>"$WORK/errors") || { echo "exit status $? in round $round"; cat "$WORK/said" "$WORK/errors"; return 1; }
    done
    rm -rf "$WORK/in"
}
build() { "$@"; }

# checked NAME: what each example must have said.
checked() {
    case $1 in
        quickstart)
            check "$2: commits" says "the first session: DBM_OK"
            check "$2: rolls back" says "the second session: DBM_E_CONSTRAINT"
            check "$2: says why" says "why: UNIQUE constraint failed: users.name"
            check "$2: says where" says "examples/quickstart.c:"
            check "$2: nothing of the second session stayed" says "Ada is 36"
            check "$2: a model's rows" says "Ada is grown up, and an admin"
            check "$2: no warning" mute
            ;;
        threads)
            check "$2: a progress line" says " of 1000 transfers, "
            check "$2: the sum" says "100 accounts hold 100000, as they should: yes"
            check "$2: the pool's numbers" says "4 connections opened"
            check "$2: no time-outs" says ", 0 timed out"
            check "$2: no failures" says "failures: 0"
            check "$2: no warning" mute
            ;;
        cpp_app)
            check "$2: commits" says "apples after a sale of 4: 6"
            check "$2: throws" says "a sale of 11 plums: only 10 of plum in stock"
            check "$2: rolls back" says "plums after it: 10, because the exception rolled back"
            check "$2: texts" says "k's \"pear\": no price"
            check "$2: numbers" says "plum: 0.25"
            check "$2: gives back" says "connections that are out: 0"
            check "$2: the warning names the place" grep -q 'cpp_app.cpp:[0-9]* was left before its end' "$WORK/errors"
            ;;
        custom_adapter)
            check "$2: rows of a file" says "Alan, born in 1912"
            check "$2: session" says "2 people of London: DBM_OK"
            check "$2: errors" says "there is no file of this name in the directory"
            check "$2: no warning" mute
            ;;
    esac
}

for name in quickstart threads custom_adapter; do
    for cc in gcc clang; do
        for std in c99 c11; do
            check "$name: $cc $std" build $cc -std=$std -O0 $WARNINGS "-I$ROOT" "$ROOT/examples/$name.c" -o "$WORK/$name" -lsqlite3 -linih -lpthread || continue
            check "$name: $cc $std: runs" run $name || continue
            checked $name "$name: $cc $std"
        done
    done
done
for cc in g++ clang++; do
    for std in c++11 c++17; do
        check "cpp_app: $cc $std" build $cc -std=$std -O0 $WARNINGS "-I$ROOT" "$ROOT/examples/cpp_app.cpp" -o "$WORK/cpp_app" -lsqlite3 -lpthread || continue
        check "cpp_app: $cc $std: runs" run cpp_app || continue
        checked cpp_app "cpp_app: $cc $std"
    done
done
# A missing configuration is told, and ends the program with 1.
missing_file() {
    mkdir "$WORK/empty" && cd "$WORK/empty" || return 1
    "$WORK/quickstart" >"$WORK/said" 2>"$WORK/errors"
    [ $? -eq 1 ] && grep -q "integration.ini: the file cannot be opened" "$WORK/errors"
}
check "quickstart: without its configuration" missing_file

# The script, with the tools that are here, and its words where they are not.
script() { TMPDIR=$WORK sh "$ROOT/examples/run.sh" "$@" >"$WORK/said" 2>"$WORK/errors" || { cat "$WORK/said" "$WORK/errors"; return 1; }; }
check "run.sh" script
for name in quickstart threads cpp_app custom_adapter; do
    check "run.sh: heading of $name" says "==== $name ===="
    check "run.sh: runs $name" says "$ ./$name"
done
check "run.sh: prints its commands" says "quickstart.c -o quickstart -lsqlite3 -linih -lpthread"
check "run.sh: a name that is none" refuses "there is no example nope" sh "$ROOT/examples/run.sh" nope
without_tools() {
    mkdir -p "$WORK/bin" || return 1
    for tool in sh dirname mktemp rm id printf; do ln -sf "$(command -v $tool)" "$WORK/bin/$tool"; done
    PATH=$WORK/bin TMPDIR=$WORK sh "$ROOT/examples/run.sh"
}
check "run.sh: where there is no compiler and no apt" refuses "apk add gcc g++ musl-dev sqlite-dev inih-dev" without_tools
clean() { [ -z "$(find "$WORK" -maxdepth 1 -name 'dbm-examples.*')" ]; }
check "run.sh: leaves nothing behind" clean
no_litter() { tree | diff "$WORK/tree.before" -; }
check "nothing is left in the source tree" no_litter
finish
