#!/bin/sh
# Builds and runs the examples: `sh examples/run.sh`, or some of them: `sh examples/run.sh quickstart threads`.
# Those that need more than SQLite run when they are named, on servers that are there: adapter_memcached (MEMCACHED_URL), adapter_odbc
# (ODBC_URL; without it an SQLite file), listen (POSTGRESQL_URL), web_cache and async_libuv (the same, REDIS_URL), five_databases (these, MYSQL_URL and MONGODB_URL).
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

examples="quickstart threads cpp_app custom_adapter async_fanout"
named="adapter_memcached adapter_odbc listen web_cache async_libuv five_databases"
for name in "$@"; do
    case " $examples $named " in
        *" $name "*) ;;
        *)
            echo "examples/run.sh: there is no example $name; there are: $examples; and, with servers of yours: $named" >&2
            exit 1
            ;;
    esac
done

chosen=${*:-$examples}
# wants NAME...: whether one of these is to be run.
wants() {
    for wanted in "$@"; do
        case " $chosen " in *" $wanted "*) return 0 ;; esac
    done
    return 1
}

# ---- what is needed ----------------------------------------------------------------------------------------------------
# A probe that links tells more than a look for files: it finds what the compiler finds.
needs() { # needs PACKAGE COMPILER EXTENSION PROGRAM [LIBRARY...]
    needs_package=$1 needs_compiler=$2 needs_file=$work/probe.$3
    printf '%s\n' "$4" >"$needs_file"
    shift 4
    if ! $needs_compiler $flags "$needs_file" -o "$work/probe" "$@" >/dev/null 2>&1; then missing="$missing $needs_package"; fi
}
# driver MODULE HEADER LIBRARY: what pkg-config says of a driver; where it knows nothing, what is usual.
driver() {
    if pkg-config --exists "$1" 2>/dev/null; then pkg-config --cflags --libs "$1"; else echo "-I/usr/include/$2 $3"; fi
}
# have PACKAGE COMMAND...: notes the package unless the command succeeds.
have() {
    have_package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $have_package"
}
look_more() {
    flags=${CFLAGS:-}
    if wants adapter_memcached; then
        needs libmemcached-dev "$CC" c '#include <libmemcached/memcached.h>
int main(void) { return memcached_create(NULL) == NULL; }' -lmemcached
    fi
    if wants adapter_odbc; then
        needs unixodbc-dev "$CC" c '#include <sql.h>
#include <sqlext.h>
int main(void) { SQLHENV e; return SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &e) != SQL_SUCCESS; }' -lodbc
        if [ -z "${ODBC_URL:-}" ]; then have "libsqliteodbc odbcinst" sh -c 'odbcinst -q -d | grep -i sqlite3'; fi
    fi
    if wants listen web_cache async_libuv five_databases; then
        have pkg-config pkg-config --version
        postgresql=$(driver libpq postgresql -lpq) redis=$(driver hiredis hiredis -lhiredis)
        needs libpq-dev "$CC" c '#include <libpq-fe.h>
int main(void) { return PQlibVersion() < 0; }' $postgresql
        needs libhiredis-dev "$CC" c '#include <hiredis/hiredis.h>
int main(void) { redisReaderFree(redisReaderCreate()); return 0; }' $redis
    fi
    if wants async_libuv; then
        needs libuv1-dev "$CC" c '#include <uv.h>
int main(void) { return uv_version() == 0; }' -luv
    fi
    if wants five_databases; then
        mysql=$(driver libmariadb mariadb -lmariadb) mongodb=$(driver libmongoc-1.0 libmongoc-1.0 "-I/usr/include/libbson-1.0 -lmongoc-1.0 -lbson-1.0")
        needs libmariadb-dev "$CC" c '#include <mysql.h>
int main(void) { return mysql_get_client_version() == 0; }' $mysql
        needs "libmongoc-dev libbson-dev" "$CC" c '#include <mongoc/mongoc.h>
int main(void) { return mongoc_get_version() == NULL; }' $mongodb
    fi
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
    look_more
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
    install_missing() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing </dev/null >"$work/apt.log" 2>&1; }
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
cp "$here/integration.ini" "$here/five_databases.ini" "$work" || exit 1
cd "$work" || exit 1
failed=
example() { # example NAME FILE LIBRARY...
    name=$1 file=$2
    shift 2
    wants "$name" || return
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
example quickstart quickstart.c -lsqlite3 -linih -lpthread
example threads threads.c -lsqlite3 -lpthread
example cpp_app cpp_app.cpp -lsqlite3 -lpthread
example custom_adapter custom_adapter.c -linih -lpthread
example async_fanout async_fanout.c -lsqlite3 -lpthread
example adapter_memcached adapter_memcached.c -lmemcached -linih -lpthread
example adapter_odbc adapter_odbc.c -lodbc -linih -lpthread
example listen listen.c -DDBM_WITH_POSTGRESQL -DDBM_WITH_REDIS ${postgresql:-} ${redis:-} -lpthread
example web_cache web_cache.c ${postgresql:-} ${redis:-} -linih -lpthread
example async_libuv async_libuv.c ${postgresql:-} ${redis:-} -linih -luv -lpthread
example five_databases five_databases.c -lsqlite3 ${postgresql:-} ${mysql:-} ${redis:-} ${mongodb:-} -linih -lpthread
if [ -n "$failed" ]; then
    echo "failed:$failed"
    exit 1
fi
