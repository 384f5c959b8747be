#!/bin/sh
# A long job outside of the stages of run.sh: the Redis adapter with TLS (DBM_WITH_REDIS_TLS). tests/integration/test_redis.c is built with it and run on a
# server of its own, plain and with ASan and UBSan.
#
#     sh tests/redis_tls.sh
#
# Needs gcc, g++, libssl-dev, libcmocka-dev, libsqlite3-dev, libinih-dev, and redis-server with TLS (Debian's has it). About a minute.
set -eu
cd "$(dirname "$0")/.."
WORK=$(mktemp -d "${TMPDIR:-/tmp}/dbm-redis.XXXXXX")
chmod a+x "$WORK"
trap 'sh tests/servers/redis.sh remove "$WORK/servers" >/dev/null 2>&1 || :; rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir "$WORK/servers"
chmod a+x "$WORK/servers"
sh tests/servers/redis.sh install
sh tests/servers/redis.sh start "$WORK/servers"
. "$WORK/servers/redis.env"
DBM_TEST_SERVERS=$WORK/servers
export DBM_TEST_SERVERS
warnings="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
for flags in "" "-fsanitize=address,undefined -fno-sanitize-recover=all"; do
    gcc -std=c11 -O1 -g $warnings $flags -I. -Itests -DDBM_WITH_SQLITE -DDBM_WITH_INI -DDBM_WITH_REDIS -DDBM_WITH_REDIS_TLS \
        tests/integration/test_redis.c -lssl -lcrypto -lsqlite3 -linih -lcmocka -lpthread -o "$WORK/test_redis"
    "$WORK/test_redis"
done
g++ -std=c++11 -O1 $warnings -I. -DDBM_IMPLEMENTATION -DDBM_WITH_REDIS -DDBM_WITH_REDIS_TLS -x c++ -c dbm.h -o "$WORK/as_cpp.o"
echo "Redis with TLS: ok"
