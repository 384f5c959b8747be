# Read by the check scripts (`. "$(dirname "$0")/../lib.sh"`): a place to work in, and the words they are written in.
#     check NAME COMMAND...         the command must succeed; prints `ok NAME`, or `not ok NAME` and what the command said
#     refuses TEXT COMMAND...       succeeds when the command fails and says TEXT
#     lacks PATTERN FILE            succeeds when no line of the file matches
# ROOT is the repository, HEADERS the folder with the dbm.h under test (ROOT, or $DBM_TEST_HEADERS), WORK a directory that is
# removed at the end. A script ends with `finish`, which fails when a check failed. BACKENDS, DRIVER_CFLAGS, DRIVER_LIBS,
# LOOPS and LOOP_LIBS are as tests/drivers.sh finds them.
set -u
LC_ALL=C
export LC_ALL
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
ROOT=$(cd "$here" && while [ ! -f amalgamate.py ] && [ "$PWD" != / ]; do cd ..; done && pwd)
HEADERS=${DBM_TEST_HEADERS:-$ROOT}
WORK=$(mktemp -d "${DBM_TEST_TMP:-${TMPDIR:-/tmp}}/dbm-check.XXXXXX") || exit 1
trap 'rm -rf "$WORK"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
failures=0
. "$ROOT/tests/drivers.sh"
find_drivers "$ROOT"

check() {
    check_name=$1
    shift
    if "$@" >"$WORK/.said" 2>&1 </dev/null; then
        echo "ok $check_name"
    else
        failures=$((failures + 1))
        echo "not ok $check_name"
        echo "    command: $*" | sed "s|$WORK|WORK|g"
        head -n 40 "$WORK/.said" | sed 's/^/    /'
        return 1
    fi
}

refuses() {
    refuses_text=$1
    shift
    if "$@" >"$WORK/.refused" 2>&1; then
        echo "it succeeded, instead of saying: $refuses_text"
        return 1
    fi
    grep -F -q -e "$refuses_text" "$WORK/.refused" || {
        echo "it did not say: $refuses_text"
        cat "$WORK/.refused"
        return 1
    }
}

lacks() {
    if grep -E -n -e "$1" "$2"; then
        echo "no line should match: $1"
        return 1
    fi
}

has() {
    command -v "$1" >/dev/null 2>&1
}

finish() {
    [ "$failures" -eq 0 ]
    exit
}

WARNINGS="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
# The names that an implementation switch must not leave behind, and others, are looked up in what these print.
defined_names() { nm -g --defined-only "$1" | awk 'NF >= 3 { print $NF }'; }
needed_names() { nm -u "$1" | awk '{ print $NF }'; }
