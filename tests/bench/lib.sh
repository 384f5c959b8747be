# Read by counts.sh and run.sh: builds contenders and makes the data. WORK is their directory, ROOT the repository.
# The group of a row is its name up to the first underscore; pool, session and start are measured on SQLite. Every group has programs of its own, with
# that group's driver alone: WORK/CONTENDER-GROUP.
set -u
LC_ALL=C
export LC_ALL
ROOT=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
WORK=$(mktemp -d "${DBM_TEST_TMP:-${TMPDIR:-/tmp}}/dbm-bench.XXXXXX") || exit 1
# The servers' users have to come through.
chmod a+x "$WORK"
BENCH_CLEAN_UP=:
trap '$BENCH_CLEAN_UP; rm -rf "$WORK"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
. "$ROOT/tests/drivers.sh"

fatal() {
    echo "${0##*/}: $*" >&2
    exit 2
}

group_of() {
    case $1 in
        postgresql* | mariadb* | redis* | mongodb*) echo "${1%%_*}" ;;
        *) echo sqlite ;;
    esac
}

# driver GROUP: BENCH_SWITCHES, BENCH_CFLAGS and BENCH_LIBS, for SQLite and the group's own driver.
driver() {
    case $1 in
        sqlite) driver_switch= ;;
        mariadb) driver_switch=MYSQL ;;
        *) driver_switch=$(echo "$1" | tr a-z A-Z) ;;
    esac
    BACKENDS=-DDBM_WITH_SQLITE DRIVER_CFLAGS="" DRIVER_LIBS=-lsqlite3
    drivers_root=$ROOT
    each_driver driver_of_group
    BENCH_SWITCHES=$BACKENDS BENCH_CFLAGS=$DRIVER_CFLAGS BENCH_LIBS=$DRIVER_LIBS
}
driver_of_group() {
    if [ "$1" = "$driver_switch" ]; then add_driver "$@"; fi
}

# What each contender is built of; build_CONTENDER may add to it.
compile() { # CONTENDER GROUP COMPILER FLAGS...
    compile_name=$1 compile_group=$2
    shift 2
    driver "$compile_group"
    case $1 in *++) compile_file=$compile_name.cpp ;; *) compile_file=$compile_name.c ;; esac
    compiler=$1
    shift
    $compiler -O2 -g -Wall -Wextra -I"$ROOT" -I"$ROOT/tests/bench" $BENCH_CFLAGS $BENCH_SWITCHES "$ROOT/tests/bench/$compile_file" "$@" $BENCH_LIBS -lpthread \
        -o "$WORK/$compile_name-$compile_group" || fatal "$compile_file does not build for $compile_group"
}
build_raw() { compile raw "$1" "${CC:-gcc}" -std=gnu11; }
build_dbm() { compile dbm "$1" "${CC:-gcc}" -std=gnu11; }

# build CONTENDER GROUP: once.
build() {
    [ -x "$WORK/$1-$2" ] || "build_$1" "$2"
}
build_shim() {
    [ -e "$WORK/shim.so" ] || "${CC:-gcc}" -std=gnu11 -O2 -Wall -Wextra -shared -fPIC "$ROOT/tests/bench/shim.c" -o "$WORK/shim.so" -ldl || fatal "shim.c does not build"
}

server_of() { case $1 in sqlite) ;; *) echo "$1" ;; esac; }

# data GROUP: makes it, once, and sets BENCH_URL and BENCH_PLAIN. Servers: those of DBM_TEST_SERVERS, in a database of our own.
data() {
    if [ ! -f "$WORK/$1.data" ]; then
        if [ "$1" = sqlite ]; then
            echo "sqlite:///$WORK/bench.db file=$WORK/bench.db" >"$WORK/sqlite.data"
        else
            server_data "$1" >"$WORK/$1.data" || fatal "no database on the $1 server"
        fi
        read -r BENCH_URL BENCH_PLAIN <"$WORK/$1.data"
        export BENCH_URL BENCH_PLAIN
        build raw "$1"
        "$WORK/raw-$1" fill || fatal "could not make the data for $1"
    fi
    read -r BENCH_URL BENCH_PLAIN <"$WORK/$1.data"
    export BENCH_URL BENCH_PLAIN
}
# The URL of a fresh database, by the server's Unix socket where it has one, and the same as words for drivers.
server_data() {
    [ -n "${DBM_TEST_SERVERS:-}" ] || fatal "$1 needs its server: sh tests/servers/all.sh start DIR && . DIR/env; run.sh starts it itself"
    server_url=$(sh "$ROOT/tests/servers/$1.sh" create "$DBM_TEST_SERVERS") || return 1
    server_base=${server_url%%\?*} server_base=${server_base##*/}
    server_words="user=dbm password=s3cret;pw@% dbname=$server_base"
    server_home=$DBM_TEST_SERVERS/$1
    case $1 in
        postgresql)
            echo "postgresql://dbm:s3cret%3Bpw%40%25@/$server_base?host=$server_home/s&port=$DBM_TEST_POSTGRESQL_PORT" \
                "host=$server_home/s port=$DBM_TEST_POSTGRESQL_PORT $server_words"
            ;;
        mariadb) echo "mysql://dbm:s3cret%3Bpw%40%25@localhost/$server_base?unix_socket=$server_home/mariadb.sock socket=$server_home/mariadb.sock $server_words" ;;
        redis) echo "unix://dbm:s3cret%3Bpw%40%25@$server_home/redis.sock?db=$server_base socket=$server_home/redis.sock $server_words" ;;
        mongodb) echo "$server_url url=$server_url $server_words" ;;
    esac
}

# json FIELD: that number of the JSON line on the standard input.
json() { sed -n "s/.*\"$1\":\\([-0-9.]*\\).*/\\1/p"; }

# instructions CONTENDER ROW VARIANT: of one operation. The difference between two numbers of operations, so that what is done once is not in it; of
# each the least of three, since answers of servers may come in more pieces than one.
instructions() {
    instructions_group=$(group_of "$2")
    data "$instructions_group"
    build "$1" "$instructions_group"
    rm -f "$WORK"/callgrind.*
    operations=$(valgrind --tool=callgrind --callgrind-out-file="$WORK/callgrind" "$WORK/$1-$instructions_group" instructions "$2" "$3" 2>"$WORK/callgrind.log" | json operations)
    [ -n "$operations" ] || { cat "$WORK/callgrind.log" >&2; fatal "$1 $2 $3 failed under callgrind"; }
    awk -v operations="$operations" '
        /^desc: Trigger: Client Request: few/ { what = "few" }
        /^desc: Trigger: Client Request: more/ { what = "more" }
        /^(summary|totals):/ && what != "" { if (!(what in least) || $2 < least[what]) least[what] = $2; what = "" }
        END { printf "%d\n", (least["more"] - least["few"]) / operations + 0.5 }' "$WORK"/callgrind.[0-9]*
}

# calls CONTENDER ROW VARIANT: the JSON line with allocations, sends, reads and clock reads of one operation.
calls() {
    calls_group=$(group_of "$2")
    data "$calls_group"
    build "$1" "$calls_group"
    build_shim
    LD_PRELOAD=$WORK/shim.so "$WORK/$1-$calls_group" calls "$2" "$3" || fatal "$1 $2 $3 failed"
}
