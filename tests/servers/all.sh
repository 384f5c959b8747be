#!/bin/sh
# All servers of the tests side by side: `sh tests/servers/all.sh install`, `start DIR`, `stop DIR`. DIR/env holds the variables that
# tests read (`. DIR/env`). stop ends every server below DIR, also those that tests started in folders of their own there (own-*), and
# removes what they wrote; DIR itself goes when nothing else is in it.
set -u
LC_ALL=C
export LC_ALL
unset CDPATH
HERE=$(cd "$(dirname "$0")" && pwd) || exit 1
NAMES="postgresql mariadb redis memcached mongodb pgbouncer"

usage() {
    echo "usage: sh tests/servers/all.sh install | start DIR | stop DIR" >&2
    exit 2
}

# In a shell of its own, which a signal for the whole group does not end before the script has ended its server.
start() {
    trap : HUP INT TERM
    sh "$HERE/$1.sh" start "$DIR" || : >"$DIR/$1.failed"
}

stop_all() {
    for pid in "$DIR"/*/pid "$DIR"/*/*/pid; do
        home=${pid%/*}
        [ -f "$pid" ] && [ -f "$HERE/${home##*/}.sh" ] || continue
        sh "$HERE/${home##*/}.sh" remove "${home%/*}" &
    done
    wait
    # Then those that don't run.
    for own in "$DIR" "$DIR"/own-*; do
        for name in $NAMES; do
            if [ -d "$own/$name" ]; then sh "$HERE/$name.sh" remove "$own"; fi
        done
    done
    for own in "$DIR"/own-*; do
        if [ -d "$own" ]; then rm -rf "$own"; fi
    done
}

case ${1:-} in
    install)
        for name in $NAMES; do sh "$HERE/$name.sh" install || exit 1; done
        ;;
    start)
        [ $# -eq 2 ] || usage
        mkdir -p "$2" && DIR=$(cd "$2" && pwd) || exit 1
        # Servers that run as users of their own have to come through.
        chmod a+x "$DIR"
        rm -f "$DIR"/*.failed "$DIR/env"
        DBM_TEST_CA=$DIR/ca DBM_TEST_SERVERS=$DIR
        export DBM_TEST_CA
        sh "$HERE/ca.sh" "$DBM_TEST_CA" || exit 1
        trap 'wait; stop_all; exit 143' HUP INT TERM
        { start postgresql && start pgbouncer; } &
        for name in mariadb redis memcached mongodb; do start "$name" & done
        wait
        for failed in "$DIR"/*.failed; do
            [ -f "$failed" ] || continue
            failed=${failed##*/}
            echo "all.sh: ${failed%.failed} did not start" >&2
            stop_all
            exit 1
        done
        {
            echo "export DBM_TEST_SERVERS='$DIR'"
            for name in $NAMES; do cat "$DIR/$name.env"; done | sort -u
        } >"$DIR/env"
        ;;
    stop)
        [ $# -eq 2 ] || usage
        [ -d "$2" ] || exit 0
        DIR=$(cd "$2" && pwd) || exit 1
        stop_all
        rm -rf "$DIR/ca" "$DIR"/*.failed "$DIR/env"
        rmdir "$DIR" 2>/dev/null
        exit 0
        ;;
    *) usage ;;
esac
