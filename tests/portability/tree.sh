#!/bin/sh
# The files of the repository: ASCII, LF, no tabs, no marks of unfinished work, no paths of some machine.
. "$(dirname "$0")/../lib.sh"
cd "$ROOT" || exit 1
if git rev-parse --git-dir >/dev/null 2>&1; then
    git ls-files -co --exclude-standard >"$WORK/all"
else
    find . -type f ! -path './.git/*' ! -name '*.pyc' | sed 's|^\./||' >"$WORK/all"
fi
while IFS= read -r f; do
    if [ -f "$f" ]; then echo "$f"; fi
done <"$WORK/all" >"$WORK/files"

# no PATTERN [FILES]: grep finds it nowhere.
nowhere() {
    tr '\n' '\0' <"${2:-$WORK/files}" | xargs -0 grep -n -I -E -e "$1" /dev/null >"$WORK/found"
    head -n 20 "$WORK/found"
    [ ! -s "$WORK/found" ]
}
tab=$(printf '\t')
cr=$(printf '\r')
grep -v -e '^tests/unit/test_amalgamate\.py$' "$WORK/files" >"$WORK/plain"
check "no tabs" nowhere "$tab" "$WORK/plain"
check "no CRLF" nowhere "$cr"
check "ASCII only" nowhere "[^ -~$tab]"
check "no trailing blanks" nowhere ' +$'
check "no unfinished work" nowhere '\b(TO[D]O|FIX[M]E|XX[X])\b|not[ ]implemented'
check "no paths of one machine" nowhere '(^|[^a-zA-Z0-9_.$}])/(wor[k]|far[m]|root)/'
grep -E '^src/.*\.(c|h)$' "$WORK/files" >"$WORK/sources"
check "comments in src/ are /* */" nowhere '^ *//|[;{}] +// ' "$WORK/sources"
newline() {
    while IFS= read -r f; do
        if [ -s "$f" ] && [ -n "$(tail -c 1 "$f")" ]; then echo "$f does not end with a newline"; fi
    done <"$WORK/files" >"$WORK/found"
    cat "$WORK/found"
    [ ! -s "$WORK/found" ]
}
check "every file ends with a newline" newline
check "the shell scripts parse" sh -c 'for f in $(grep "\.sh$" "$1"); do sh -n "$f" || exit 1; done' sh "$WORK/files"
finish
