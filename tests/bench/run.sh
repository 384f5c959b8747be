#!/bin/sh
# The benchmark: dbm.h beside the raw drivers and the C and C++ libraries that Debian packages, one table.
#
#   sh tests/bench/run.sh [ROWS OR GROUPS] [--rounds N] [--contenders LIST] [--no-counts] [--json FILE] [--svg FILE]
#
#   rows          sqlite_lookup, ...; groups: sqlite postgresql mariadb redis mongodb async pool session start; without: all of them
#   --rounds      how often each contender is timed, in turn with the others (default 5)
#   --contenders  of: raw dbm zdb soci apr dbi odbc (default: all)
#   --no-counts   times alone, without callgrind, which takes longer than all rounds
#   --json FILE   one line for each row and contender
#   --svg FILE    the chart of README
#
# Installs what is missing through apt, starts servers of its own by tests/servers/ and ends them. Client and server share one processor, the last one,
# so that a round trip costs what it costs and no more; the rows with threads have all. Every run's data is verified by the harness (bench.h).
# On a busy machine the minimum tells most; instructions, allocations and sends are exact anywhere.
. "$(dirname "$0")/lib.sh"

CONTENDERS="raw dbm zdb soci apr dbi odbc"
rounds=5 contenders=$CONTENDERS counts=1 json='' svg='' names=''
usage() {
    sed -n '/^#   sh /,/^# On a busy/p' "$0" | sed 's/^# \{0,3\}//' >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --contenders | --json | --svg)
            [ $# -ge 2 ] || usage
            case $1 in
                --rounds) rounds=$2 ;;
                --contenders) contenders=$(echo "$2" | tr , ' ') ;;
                --json) json=$2 ;;
                --svg) svg=$2 ;;
            esac
            shift
            ;;
        --no-counts) counts= ;;
        -*) usage ;;
        *) names="$names $1" ;;
    esac
    shift
done
case $rounds in '' | *[!0-9]* | 0) fatal "--rounds $rounds: expected a number from 1" ;; esac
for name in $contenders; do
    case " $CONTENDERS " in *" $name "*) ;; *) fatal "--contenders: there is no $name; there are: $CONTENDERS" ;; esac
done
# Ratios are to the raw driver, so it always runs.
case " $contenders " in *" raw "*) ;; *) contenders="raw $contenders" ;; esac

all_rows=$(sed -n 's/^    { "\([a-z]*_[a-z0-9]*\)", ".*bench_expect_.*/\1/p' "$ROOT/tests/bench/bench.h")
rows=
for row in $all_rows; do
    if [ -z "$names" ]; then
        rows="$rows $row"
    else
        for name in $names; do case $row in "$name" | "$name"_*) rows="$rows $row" ;; esac; done
    fi
done
for name in $names; do
    case " $rows" in *" $name"*) ;; *) fatal "there is no row or group $name; the rows are:
$all_rows" ;; esac
done
groups=
for row in $rows; do
    group=$(group_of "$row")
    case " $groups " in *" $group "*) ;; *) groups="$groups $group" ;; esac
done

# ---- what is needed ----------------------------------------------------------------------------------------------------------------

missing=
tool() { command -v "$2" >/dev/null 2>&1 || missing="$missing $1"; }
header() { [ -e "/usr/include/$2" ] || missing="$missing $1"; }
library() {
    for f in /usr/lib/*/$2 /usr/lib/$2; do if [ -e "$f" ]; then return; fi; done
    missing="$missing $1"
}
# needs GROUP WORD...: where that group is measured.
needs() {
    case " $groups " in *" $1 "*) shift && "$@" ;; esac
}
tool gcc gcc
tool python3 python3
tool util-linux taskset
driver_packages "$ROOT" tool header
if [ -n "$counts" ]; then tool valgrind valgrind && header valgrind valgrind/callgrind.h; fi
for name in $contenders; do
    case $name in
        zdb) header libzdb-dev zdb/zdb.h ;;
        soci) tool g++ g++ && header libsoci-dev soci/soci.h ;;
        apr)
            header libaprutil1-dev apr-1.0/apr_dbd.h
            needs sqlite library libaprutil1-dbd-sqlite3 apr-util-1/apr_dbd_sqlite3.so
            needs postgresql library libaprutil1-dbd-pgsql apr-util-1/apr_dbd_pgsql.so
            needs mariadb library libaprutil1-dbd-mysql apr-util-1/apr_dbd_mysql.so
            ;;
        dbi)
            header libdbi-dev dbi/dbi.h
            needs sqlite library libdbd-sqlite3 dbd/libdbdsqlite3.so
            needs postgresql library libdbd-pgsql dbd/libdbdpgsql.so
            needs mariadb library libdbd-mysql dbd/libdbdmysql.so
            ;;
        odbc)
            header unixodbc-dev sql.h
            needs sqlite library libsqliteodbc odbc/libsqlite3odbc.so
            needs postgresql library odbc-postgresql odbc/psqlodbcw.so
            needs mariadb library odbc-mariadb odbc/libmaodbc.so
            ;;
    esac
done
if [ -n "$missing" ]; then
    if [ -n "${DBM_TEST_NO_INSTALL:-}" ] || ! command -v apt-get >/dev/null 2>&1; then fatal "missing, and not to be installed from here:$missing"; fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then as_root="sudo -n"; fi
    echo "installing:$missing" >&2
    apt() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get "$@" </dev/null >"$WORK/apt.log" 2>&1; }
    apt install -y --no-install-recommends $missing || { apt update; apt install -y --no-install-recommends $missing; } || {
        tail -n 20 "$WORK/apt.log" >&2
        fatal "apt-get could not install:$missing"
    }
fi

# ---- servers -------------------------------------------------------------------------------------------------------------------------

# Where that is allowed, clients and servers come before what else the machine does: Linux weighs sessions (autogroups), then processes.
first=
if nice -n -20 true 2>/dev/null; then first=1; fi
before_others() { if [ -n "$first" ] && [ -w "/proc/$1/autogroup" ]; then echo -20 >"/proc/$1/autogroup"; fi; }
cpu=$(($(getconf _NPROCESSORS_ONLN) - 1))
DBM_TEST_SERVERS=$WORK/s
mkdir -m 711 "$DBM_TEST_SERVERS"
stop_servers() {
    for group in $groups; do
        if [ -d "$DBM_TEST_SERVERS/$group" ]; then sh "$ROOT/tests/servers/$group.sh" remove "$DBM_TEST_SERVERS"; fi
    done
}
BENCH_CLEAN_UP=stop_servers
for group in $groups; do
    if [ "$group" != sqlite ] && [ "$group" != nostats ]; then
        { sh "$ROOT/tests/servers/$group.sh" install && sh "$ROOT/tests/servers/$group.sh" start "$DBM_TEST_SERVERS"; } >&2 || fatal "the $group server did not start"
        . "$DBM_TEST_SERVERS/$group.env"
        read -r pid _ <"$DBM_TEST_SERVERS/$group/pid"
        taskset -a -c -p "$cpu" "$pid" >/dev/null || fatal "taskset: the $group server can't be kept on processor $cpu"
        before_others "$pid"
    fi
    data "$group"
done

# ---- the contenders' lists: ROW CONTENDER VARIANT --------------------------------------------------------------------------------------

: >"$WORK/list"
for name in $contenders; do
    for group in $groups; do
        case $name:$group in raw:* | dbm:* | *:sqlite | *:postgresql | *:mariadb) ;; *) continue ;; esac
        build "$name" "$group"
        "$WORK/$name-$group" list | while read -r row variant; do
            if [ "$(group_of "$row")" = "$group" ]; then echo "$row $name $variant"; fi
        done >>"$WORK/list"
    done
done
# In the order of the rows.
for row in $rows; do grep "^$row " "$WORK/list"; done >"$WORK/plan"

# once HOW ROW CONTENDER VARIANT
once() {
    once_group=$(group_of "$2")
    . "$WORK/$once_group.data"
    once_pin="taskset -c $cpu"
    case $2 in pool_1) ;; pool_*) once_pin= ;; esac
    if [ -z "$first" ] || [ ! -w /proc/self/autogroup ]; then
        $once_pin "$WORK/$3-$once_group" "$1" "$2" "$4"
    else
        setsid -w sh -c 'echo -20 >/proc/self/autogroup; exec "$@"' sh $once_pin "$WORK/$3-$once_group" "$1" "$2" "$4"
    fi
}

# ---- the rounds ------------------------------------------------------------------------------------------------------------------------

: >"$WORK/times"
round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    echo "round $round of $rounds" >&2
    while read -r row name variant; do
        # Of the idle connections it's the memory that counts.
        if [ "$row" = start_idle ]; then continue; fi
        once time "$row" "$name" "$variant" </dev/null >>"$WORK/times" || fatal "$name $row $variant failed"
    done <"$WORK/plan"
done
: >"$WORK/counts"
echo "memory${counts:+, calls and instructions}" >&2
build_shim
while read -r row name variant; do
    once memory "$row" "$name" "$variant" </dev/null >>"$WORK/counts" || fatal "$name $row $variant failed"
    case $row in pool_[2-9] | start_idle) continue ;; esac
    (LD_PRELOAD=$WORK/shim.so && export LD_PRELOAD && data "$(group_of "$row")" && "$WORK/$name-$(group_of "$row")" calls "$row" "$variant") </dev/null >>"$WORK/counts" ||
        fatal "$name $row $variant failed"
    if [ -n "$counts" ]; then
        counted=$(instructions "$name" "$row" "$variant" </dev/null) || exit 2
        if [ "$variant" = - ]; then full=$name; else full=$name/$variant; fi
        echo "{\"row\":\"$row\",\"contender\":\"$full\",\"instructions\":$counted}" >>"$WORK/counts"
    fi
done <"$WORK/plan"

cat "$WORK/times" "$WORK/counts" | python3 "$ROOT/tests/bench/report.py" --budgets "$ROOT/tests/bench/budgets" ${json:+--json "$json"} ${svg:+--svg "$svg"}
