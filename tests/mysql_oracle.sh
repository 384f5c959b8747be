#!/bin/sh
# A long job outside of the stages of run.sh: the MySQL adapter with Oracle's client library, libmysqlclient, which Debian does not carry and whose
# calls block. Its source comes with the crate mysqlclient-src, is built as a static library in a directory that goes again (or in CACHE, to be used
# again), and tests/integration/test_mysql.c, test_mysql_bulk.c and test_mysql_faults.c are built against it and run on a MariaDB of their own, plain and
# with ASan and UBSan. What differs with this client is said in those tests where it does.
#
#     sh tests/mysql_oracle.sh [VERSION [CACHE]]       of the crate; 0.2.2, the default, carries libmysqlclient 9.5.0
#
# Needs cargo, cmake, gcc and g++ (C++20; 12 does), libssl-dev, libncurses-dev, libcmocka-dev, libsqlite3-dev, libinih-dev and mariadb-server.
# Three minutes of processor time, about five minutes on two cores that do nothing else; 400 MB of disk meanwhile. JOBS=1 builds it on one core.
set -eu
cd "$(dirname "$0")/.."
VERSION=${1:-0.2.2}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/dbm-mysqlclient.XXXXXX")
CACHE=${2:-$WORK}
chmod a+x "$WORK"
trap 'sh tests/servers/mariadb.sh remove "$WORK/servers" >/dev/null 2>&1 || :; rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$CACHE/include/mysql" "$CACHE/crate/src"
CACHE=$(cd "$CACHE" && pwd)
LIBRARY=$CACHE/build/archive_output_directory/libmysqlclient.a
if [ ! -f "$LIBRARY" ] || [ "$(cat "$CACHE/version" 2>/dev/null)" != "$VERSION" ]; then
    printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nmysqlclient-src = "=%s"\n' "$VERSION" >"$CACHE/crate/Cargo.toml"
    : >"$CACHE/crate/src/lib.rs"
    rm -rf "$CACHE/build" "$CACHE/crate/vendor"
    (cd "$CACHE/crate" && cargo vendor -q >/dev/null)
    SOURCE=$CACHE/crate/vendor/mysqlclient-src/source
    nice -n 10 cmake -S "$SOURCE" -B "$CACHE/build" -DWITHOUT_SERVER=ON -DWITH_EDITLINE=bundled -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_C_FLAGS_RELEASE="-O1 -DNDEBUG" -DCMAKE_CXX_FLAGS_RELEASE="-O1 -DNDEBUG" >"$CACHE/said" 2>&1 || { tail -n 30 "$CACHE/said"; exit 1; }
    nice -n 10 make -C "$CACHE/build" -j"${JOBS:-2}" mysqlclient >"$CACHE/said" 2>&1 || { tail -n 30 "$CACHE/said"; exit 1; }
    for name in mysql mysql_com mysql_time errmsg field_types my_list my_command my_compress; do cp "$SOURCE/include/$name.h" "$CACHE/include/"; done
    for name in client_plugin plugin_auth_common udf_registration_types; do cp "$SOURCE/include/mysql/$name.h" "$CACHE/include/mysql/"; done
    cp "$CACHE/build/include/mysql_version.h" "$CACHE/include/"
    echo "$VERSION" >"$CACHE/version"
fi
grep -E 'define (MYSQL_SERVER_VERSION|LIBMYSQL_VERSION)' "$CACHE/include/mysql_version.h"

mkdir "$WORK/servers"
chmod a+x "$WORK/servers"
sh tests/servers/mariadb.sh install
sh tests/servers/mariadb.sh start "$WORK/servers"
. "$WORK/servers/mariadb.env"
DBM_TEST_SERVERS=$WORK/servers
export DBM_TEST_SERVERS
WARNINGS="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
for flags in "" "-fsanitize=address,undefined -fno-sanitize-recover=all"; do
    for test in test_mysql test_mysql_bulk test_mysql_faults; do
        gcc -std=c11 -O1 -g $WARNINGS $flags -isystem "$CACHE/include" -I. -Itests -DDBM_WITH_SQLITE -DDBM_WITH_INI -DDBM_WITH_MYSQL \
            "tests/integration/$test.c" "$LIBRARY" -lsqlite3 -linih -lcmocka -lssl -lcrypto -lresolv -lpthread -ldl -lm -lstdc++ -o "$WORK/$test"
        "$WORK/$test"
    done
done
for standard in c++11 c++20; do
    g++ -std=$standard -O1 $WARNINGS -isystem "$CACHE/include" -I. -DDBM_IMPLEMENTATION -DDBM_WITH_MYSQL -x c++ -c dbm.h -o "$WORK/as_cpp.o" \
        2>"$WORK/said" || { cat "$WORK/said"; exit 1; }
done
echo "Oracle's MySQL client: ok"
