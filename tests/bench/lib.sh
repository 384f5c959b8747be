# Read by counts.sh and run.sh: builds contenders and makes the data. WORK is their directory, ROOT the repository.
# The group of a row is its name up to the first underscore, of async_GROUP what follows it; pool, session and start are measured on SQLite. Every group has programs of its own, with
# that group's driver alone: WORK/CONTENDER-GROUP. The group nostats is SQLite once more, where dbm.h is built with DBM_SQLITE_NO_MEMSTATUS.
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
        async_*) echo "${1#async_}" ;;
        postgresql* | mariadb* | redis* | mongodb*) echo "${1%%_*}" ;;
        sqlite_nostats) echo nostats ;;
        *) echo sqlite ;;
    esac
}

# driver GROUP: BENCH_SWITCHES, BENCH_CFLAGS and BENCH_LIBS, for SQLite and the group's own driver.
driver() {
    case $1 in
        sqlite | nostats) driver_switch= ;;
        mariadb) driver_switch=MYSQL ;;
        *) driver_switch=$(echo "$1" | tr a-z A-Z) ;;
    esac
    BACKENDS=-DDBM_WITH_SQLITE DRIVER_CFLAGS="" DRIVER_LIBS=-lsqlite3
    drivers_root=$ROOT
    each_driver driver_of_group
    if [ "$1" = nostats ]; then BACKENDS="$BACKENDS -DDBM_SQLITE_NO_MEMSTATUS"; fi
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
build_dbm() {
    case $1 in postgresql | mariadb | redis) compile dbm "$1" "${CC:-gcc}" -std=gnu11 -DDBM_WITH_ASYNC ;; *) compile dbm "$1" "${CC:-gcc}" -std=gnu11 ;; esac
}
build_zdb() { compile zdb "$1" "${CC:-gcc}" -std=gnu11 $(pkg-config --cflags --libs zdb); }
build_soci() {
    case $1 in sqlite) backend=sqlite3 ;; mariadb) backend=mysql ;; *) backend=$1 ;; esac
    compile soci "$1" "${CXX:-g++}" -std=gnu++17 -lsoci_core "-lsoci_$backend"
}
build_apr() { compile apr "$1" "${CC:-gcc}" -std=gnu11 $(pkg-config --cflags --libs apr-util-1 apr-1); }
build_dbi() { compile dbi "$1" "${CC:-gcc}" -std=gnu11 -ldbi; }
build_odbc() { compile odbc "$1" "${CC:-gcc}" -std=gnu11 -lodbc; }

# build CONTENDER GROUP: once.
build() {
    [ -x "$WORK/$1-$2" ] || "build_$1" "$2"
}
build_shim() {
    [ -e "$WORK/shim.so" ] || "${CC:-gcc}" -std=gnu11 -O2 -Wall -Wextra -shared -fPIC "$ROOT/tests/bench/shim.c" -o "$WORK/shim.so" -ldl || fatal "shim.c does not build"
}

# data GROUP: makes it, once, and says where it is: BENCH_URL for dbm.h, and for every other contender what it takes. Servers are those of
# DBM_TEST_SERVERS, in a database of our own there, by the server's Unix socket where it has one.
data() {
    if [ ! -f "$WORK/$1.data" ]; then
        case $1 in sqlite | nostats) ;; *)
            [ -n "${DBM_TEST_SERVERS:-}" ] || fatal "$1 needs its server: sh tests/servers/all.sh start DIR && . DIR/env; run.sh starts it itself"
            server_url=$(sh "$ROOT/tests/servers/$1.sh" create "$DBM_TEST_SERVERS") || fatal "no database on the $1 server"
            server_base=${server_url%%\?*} server_base=${server_base##*/} server_home=$DBM_TEST_SERVERS/$1
            ;;
        esac
        password='s3cret;pw@%' escaped='s3cret%3Bpw%40%25'
        case $1 in
            nostats)
                say URL "sqlite:///$WORK/nostats.db"
                say PLAIN "file=$WORK/nostats.db"
                ;;
            sqlite)
                say URL "sqlite:///$WORK/bench.db"
                say PLAIN "file=$WORK/bench.db"
                say ZDB "sqlite://$WORK/bench.db"
                say SOCI "sqlite3://db=$WORK/bench.db timeout=5"
                say APR "sqlite3 $WORK/bench.db"
                say DBI "sqlite3 sqlite3_dbdir=$WORK dbname=bench.db"
                odbc_settings "Driver=SQLite3;Database=$WORK/bench.db"
                ;;
            postgresql)
                port=$DBM_TEST_POSTGRESQL_PORT
                say URL "postgresql://dbm:$escaped@/$server_base?host=$server_home/s&port=$port"
                say ZDB "postgresql://dbm:$escaped@localhost:$port/$server_base?unix-socket=$server_home/s"
                echo "export PGPORT=$port" # libzdb has no other way to say it beside a socket
                say SOCI "postgresql://host=$server_home/s port=$port user=dbm password=$password dbname=$server_base"
                say APR "pgsql host=$server_home/s port=$port user=dbm password=$password dbname=$server_base"
                say DBI "pgsql host=$server_home/s port=$port username=dbm password=$password dbname=$server_base"
                odbc_settings "Driver=PostgreSQL Unicode;Servername=$server_home/s;Port=$port;Database=$server_base;Uid=dbm;Pwd={$password};UseServerSidePrepare=1"
                ;;
            mariadb)
                say URL "mysql://dbm:$escaped@localhost/$server_base?unix_socket=$server_home/mariadb.sock"
                say PLAIN "socket=$server_home/mariadb.sock user=dbm password=$password dbname=$server_base"
                say ZDB "mysql://dbm:$escaped@localhost/$server_base?unix-socket=$server_home/mariadb.sock"
                say SOCI "mysql://user=dbm password=$password dbname=$server_base unix_socket=$server_home/mariadb.sock"
                say APR "mysql host=localhost,user=bench,pass=bench,dbname=$server_base,sock=$server_home/mariadb.sock"
                say DBI "mysql mysql_unix_socket=$server_home/mariadb.sock username=dbm password=$password dbname=$server_base"
                odbc_settings "Driver=MariaDB Unicode;Socket=$server_home/mariadb.sock;Database=$server_base;Uid=dbm;Pwd={$password}"
                ;;
            redis)
                say URL "unix://dbm:$escaped@$server_home/redis.sock?db=$server_base"
                say PLAIN "socket=$server_home/redis.sock user=dbm password=$password dbname=$server_base"
                ;;
            mongodb)
                say URL "$server_url"
                say PLAIN "dbname=$server_base"
                ;;
        esac >"$WORK/$1.data"
        . "$WORK/$1.data"
        build raw "$1"
        "$WORK/raw-$1" fill || fatal "could not make the data for $1"
    fi
    . "$WORK/$1.data"
}
# unixODBC's settings: its drivers, and pooling, which only this file can switch on.
odbc_settings() {
    if [ ! -f "$WORK/odbcinst.ini" ]; then
        {
            printf '[ODBC]\nPooling=Yes\n'
            for pair in SQLite3:libsqlite3odbc.so "PostgreSQL Unicode:psqlodbcw.so" "MariaDB Unicode:libmaodbc.so"; do
                printf '[%s]\nDriver=%s\nCPTimeout=120\n' "${pair%:*}" "$(ls /usr/lib/*/odbc/"${pair#*:}" 2>/dev/null)"
            done
        } >"$WORK/odbcinst.ini"
    fi
    say ODBC "$1"
    echo "export ODBCSYSINI='$WORK'"
}
say() { echo "export BENCH_$1='$2'"; }

# json FIELD: that number of the JSON line on the standard input.
json() { sed -n "s/.*\"$1\":\\([-0-9.]*\\).*/\\1/p"; }

# instructions CONTENDER ROW VARIANT: of one operation. The difference between two numbers of operations, so that what is done once is not in it; of
# each the least of several.
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
