#!/bin/sh
# Builds and runs the examples: `sh examples/run.sh`, or some of them: `sh examples/run.sh quickstart threads`.
# Where apt is, missing packages are installed; elsewhere a message says which. Everything is built and run in a temporary
# directory. In the environment: CC, CXX (the compilers), CFLAGS, CXXFLAGS.
set -u
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 1
root=$(dirname -- "$here")
[ -f "$root/dbm.h" ] || {
    echo "examples/run.sh: there is no dbm.h in $root" >&2
    exit 1
}
CC=${CC:-cc} CXX=${CXX:-c++}
work=$(mktemp -d "${TMPDIR:-/tmp}/dbm-examples.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

examples="quickstart threads cpp_app custom_adapter"
for name in "$@"; do
    case " $examples " in
        *" $name "*) ;;
        *)
            echo "examples/run.sh: there is no example $name; there are: $examples" >&2
            exit 1
            ;;
    esac
done

# ---- what is needed ----------------------------------------------------------------------------------------------------
# A probe that links tells more than a look for files: it finds what the compiler finds.
needs() { # needs PACKAGE COMPILER EXTENSION PROGRAM [LIBRARY...]
    needs_package=$1 needs_compiler=$2 needs_file=$work/probe.$3
    printf '%s\n' "$4" >"$needs_file"
    shift 4
    if ! $needs_compiler $flags "$needs_file" -o "$work/probe" "$@" >/dev/null 2>&1; then missing="$missing $needs_package"; fi
}
look() {
    missing= flags=${CFLAGS:-}
    needs gcc "$CC" c '#include <stdio.h>
int main(void) { return puts("") < 0; }'
    case $missing in
        '')
            needs libsqlite3-dev "$CC" c '#include <sqlite3.h>
int main(void) { return sqlite3_libversion_number() < 3024000; }' -lsqlite3
            needs libinih-dev "$CC" c '#include <ini.h>
int main(void) { return ini_parse_string("", 0, 0) != 0; }' -linih
            ;;
        *) missing="gcc libc6-dev libsqlite3-dev libinih-dev" ;;
    esac
    flags=${CXXFLAGS:-}
    needs g++ "$CXX" cpp '#include <string>
int main() { return static_cast<int>(std::string().size()); }'
}
look
if [ -n "$missing" ] && command -v apt-get >/dev/null 2>&1; then
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "examples/run.sh: run this as root first: apt-get install ${missing# }" >&2
            exit 1
        fi
        as_root=sudo
    fi
    echo "installing: ${missing# }"
    install_missing() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing </dev/null >"$work/apt.log" 2>&1; }
    install_missing || { $as_root apt-get update </dev/null >"$work/apt.log" 2>&1 && install_missing; } || {
        tail -n 20 "$work/apt.log" >&2
        echo "examples/run.sh: apt-get could not install: ${missing# }" >&2
        exit 1
    }
    look
fi
if [ -n "$missing" ]; then
    {
        echo "examples/run.sh: what does not compile and link here, by the name of its Debian package: ${missing# }"
        echo "install a C and a C++ compiler, SQLite and inih, with their headers:"
        echo "    Debian, Ubuntu   apt-get install gcc g++ libc6-dev libsqlite3-dev libinih-dev"
        echo "    Fedora           dnf install gcc gcc-c++ sqlite-devel inih-devel"
        echo "    Alpine           apk add gcc g++ musl-dev sqlite-dev inih-dev"
        echo "    Arch             pacman -S gcc sqlite libinih"
        echo "    macOS            brew install sqlite inih; then CFLAGS=\"-I\$(brew --prefix)/include -L\$(brew --prefix)/lib\" sh examples/run.sh"
    } >&2
    exit 1
fi

# ---- build and run ---------------------------------------------------------------------------------------------------------
cp "$here/integration.ini" "$work" || exit 1
cd "$work" || exit 1
failed=
example() { # example NAME FILE LIBRARY...
    name=$1 file=$2
    shift 2
    case " $chosen " in
        *" $name "*) ;;
        *) return ;;
    esac
    case $file in
        *.cpp) set -- $CXX -std=c++11 -O1 ${CXXFLAGS:-} "-I$root" "$here/$file" -o "$name" "$@" ;;
        *) set -- $CC -std=c99 -O1 ${CFLAGS:-} "-I$root" "$here/$file" -o "$name" "$@" ;;
    esac
    echo "==== $name ===="
    echo "\$ $*"
    if "$@" && echo "\$ ./$name" && "./$name"; then
        echo
    else
        echo "==== $name failed ===="
        failed="$failed $name"
    fi
}
chosen=${*:-$examples}
example quickstart quickstart.c -lsqlite3 -linih -lpthread
example threads threads.c -lsqlite3 -lpthread
example cpp_app cpp_app.cpp -lsqlite3 -lpthread
example custom_adapter custom_adapter.c -linih -lpthread
if [ -n "$failed" ]; then
    echo "failed:$failed"
    exit 1
fi
