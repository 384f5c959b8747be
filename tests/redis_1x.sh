#!/bin/sh
# A long job outside of the stages of run.sh: the Redis adapter with hiredis 1.x, whose reader and callbacks differ from 0.14's, and with TLS, which
# needs it. hiredis comes from the source package of that name on PyPI (its folder vendor/hiredis), is built in a directory that goes again, and
# tests/integration/test_redis.c is built against it and run on a server of its own, plain and with ASan and UBSan.
#
#     sh tests/redis_1x.sh [VERSION]       of the PyPI package; 3.1.0 carries hiredis 1.3, 3.3.0 and newer 1.3 to 1.5
#
# Needs python3 with pip, gcc, libssl-dev, libcmocka-dev, libsqlite3-dev, libinih-dev, and redis-server with TLS (Debian's has it). About two minutes.
set -eu
cd "$(dirname "$0")/.."
VERSION=${1:-}
WORK=$(mktemp -d "${TMPDIR:-/tmp}/dbm-hiredis.XXXXXX")
chmod a+x "$WORK"
trap 'sh tests/servers/redis.sh remove "$WORK/servers" >/dev/null 2>&1 || :; rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

(cd "$WORK" && python3 -m pip download -q --no-deps --no-binary :all: "hiredis${VERSION:+==$VERSION}" && tar xzf hiredis-*.tar.gz)
mkdir "$WORK/include"
cp -r "$WORK"/hiredis-*/vendor/hiredis "$WORK/include/hiredis"
for name in alloc async dict hiredis net read sds sockcompat ssl; do
    gcc -O1 -g -fPIC -I"$WORK/include/hiredis" -c "$WORK/include/hiredis/$name.c" -o "$WORK/$name.o"
done
grep -E 'define HIREDIS_(MAJOR|MINOR)' "$WORK/include/hiredis/hiredis.h"

mkdir "$WORK/servers"
chmod a+x "$WORK/servers"
sh tests/servers/redis.sh install
sh tests/servers/redis.sh start "$WORK/servers"
. "$WORK/servers/redis.env"
DBM_TEST_SERVERS=$WORK/servers
export DBM_TEST_SERVERS
for flags in "" "-fsanitize=address,undefined -fno-sanitize-recover=all"; do
    gcc -std=c11 -O1 -g -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror $flags -isystem "$WORK/include" -I. -Itests \
        -DDBM_WITH_SQLITE -DDBM_WITH_INI -DDBM_WITH_REDIS -DDBM_WITH_REDIS_TLS tests/integration/test_redis.c "$WORK"/*.o \
        -lssl -lcrypto -lsqlite3 -linih -lcmocka -lpthread -o "$WORK/test_redis"
    "$WORK/test_redis"
done
g++ -std=c++11 -O1 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror -isystem "$WORK/include" -I. -DDBM_IMPLEMENTATION -DDBM_WITH_REDIS \
    -DDBM_WITH_REDIS_TLS -x c++ -c dbm.h -o "$WORK/as_cpp.o" 2>"$WORK/said" || { cat "$WORK/said"; exit 1; }
echo "hiredis 1.x: ok"
