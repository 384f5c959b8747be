# What the servers' scripts share; read by them, never run. A script sets NAME, ACCOUNT (whom the server runs as when root calls),
# PACKAGES (pairs COMMAND:PACKAGE) and STOP_SIGNAL, defines the functions below, and ends with `main "$@"`:
#
#   options ARGUMENT VALUE   takes an option of its own; fails when there is none of this name
#   prepare                  makes the data, before the first start
#   launch                   calls `serve COMMAND...`, with $PORT and $PORT_TLS
#   answers                  is true when the server has answered a real query
#   provision                what is left to do after the first answer
#   forget                   what is left to remove outside $HOME_DIR when the data goes
#   variables                says `variable NAME VALUE` for each that tests may read
#
# Under DIR a server owns the folder DIR/NAME (here $HOME_DIR) and the file DIR/NAME.env, nothing else.
set -u
LC_ALL=C
export LC_ALL
unset CDPATH

DB_USER=dbm
DB_NAME=dbm
DB_PASSWORD='s3cret;pw@%'
DB_PASSWORD_URL='s3cret%3Bpw%40%25'
START_SECONDS=60
CERT=good
SCRIPTS=$(cd "$(dirname "$0")" && pwd) || exit 1
PATH=$PATH:/usr/sbin:/sbin
export PATH

fatal() {
    echo "$NAME.sh: $*" >&2
    exit 1
}

nap() { sleep 0.05 2>/dev/null || sleep 1; }
now() { date +%s; }

# ---- packages ------------------------------------------------------------------------------------------------------------------

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# apt_get PACKAGE...: no service is started by it where the system asks policy-rc.d, and none is used by these scripts anyway.
apt_get() {
    if [ -n "${DBM_TEST_NO_INSTALL:-}" ] || ! command -v apt-get >/dev/null 2>&1; then
        fatal "missing, and not to be installed from here: $*"
    fi
    apt_log=$(mktemp) || exit 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" </dev/null >"$apt_log" 2>&1 || {
        as_root apt-get update </dev/null >/dev/null 2>&1
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@" </dev/null >"$apt_log" 2>&1
    } || {
        tail -n 20 "$apt_log" >&2
        rm -f "$apt_log"
        fatal "apt-get could not install: $*"
    }
    rm -f "$apt_log"
}

install_packages() {
    missing=
    for pair in $PACKAGES; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
    done
    if [ -n "$missing" ]; then apt_get $missing; fi
}
install_more() { :; }

# ---- processes -----------------------------------------------------------------------------------------------------------------
# A server leads a session of its own, so that no signal meant for the tests reaches it. $HOME_DIR/pid has its pid and the tick of
# its birth: a pid alone may by now belong to somebody else.

born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# alive: whether the server of $HOME_DIR runs; its pid in $PID. What is dead and not yet reaped is gone.
alive() {
    PID=
    [ -f "$HOME_DIR/pid" ] || return 1
    read -r PID birth <"$HOME_DIR/pid" || return 1
    case $(sed 's/.*) //' "/proc/$PID/stat" 2>/dev/null) in '' | Z* | X*) return 1 ;; esac
    [ "$(born "$PID")" = "$birth" ]
}

# as_account COMMAND...: by exec, so that the pid stays.
as_account() {
    if [ "$(id -u)" -ne 0 ] || [ -z "$ACCOUNT" ]; then exec "$@"; fi
    exec setpriv --reuid="$ACCOUNT" --regid="$(id -g "$ACCOUNT")" --init-groups "$@"
}

# own FILE...: gives them to whom the server runs as.
own() {
    if [ "$(id -u)" -eq 0 ] && [ -n "$ACCOUNT" ]; then chown -R "$ACCOUNT" "$@"; fi
}

# serve COMMAND...: starts it; its pid is in the file before this returns.
serve() {
    rm -f "$HOME_DIR/pid" "$HOME_DIR/pid.new"
    (
        cd "$HOME_DIR" || exit 1
        HOME=$HOME_DIR
        export HOME
        if [ "$(id -u)" -eq 0 ] && [ -n "$ACCOUNT" ]; then
            set -- setpriv --reuid="$ACCOUNT" --regid="$(id -g "$ACCOUNT")" --init-groups "$@"
        fi
        exec setsid sh -c 'echo $$ >pid.new; exec "$@"' sh "$@"
    ) </dev/null >>"$LOG" 2>&1 &
    until [ -s "$HOME_DIR/pid.new" ]; do nap; done
    read -r PID <"$HOME_DIR/pid.new"
    echo "$PID $(born "$PID")" >"$HOME_DIR/pid"
    rm -f "$HOME_DIR/pid.new"
}

stop_server() {
    if alive; then
        kill -CONT "$PID"
        kill -"$STOP_SIGNAL" "$PID"
        deadline=$(($(now) + 15))
        while alive; do
            if [ "$(now)" -ge "$deadline" ]; then
                kill -KILL "$PID" 2>/dev/null
                deadline=$((deadline + 5))
            fi
            nap
        done
    fi
    rm -f "$HOME_DIR/pid"
}

# ---- start ---------------------------------------------------------------------------------------------------------------------

# Two free ports in a row below those that the system gives to clients. Somebody may take one before the server does: then the
# server says so, and another pair is tried.
pick_ports() {
    PORT=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 6000 * 2))
    PORT_TLS=$((PORT + 1))
}

variable() { printf "export DBM_TEST_%s='%s'\n" "$1" "$2"; }

# certificates: $TLS/ca.pem, cert.pem and key.pem, readable for the server alone.
certificates() {
    if [ -z "${DBM_TEST_CA:-}" ]; then
        DBM_TEST_CA=$DIR/ca
        sh "$SCRIPTS/ca.sh" "$DBM_TEST_CA" || fatal "no certificates"
    fi
    [ -f "$DBM_TEST_CA/$CERT.pem" ] || fatal "--cert $CERT: expected good, wrong, expired or foreign"
    TLS=$HOME_DIR/tls
    mkdir -p "$TLS"
    cp "$DBM_TEST_CA/ca.pem" "$TLS/ca.pem"
    cp "$DBM_TEST_CA/$CERT.pem" "$TLS/cert.pem"
    cp "$DBM_TEST_CA/$CERT.key" "$TLS/key.pem"
    chmod 600 "$TLS/key.pem"
    own "$TLS"
}

options() { return 1; }
prepare() { :; }
provision() { :; }
forget() { :; }

failed_start() {
    echo "$NAME.sh: $*; the end of its log:" >&2
    tail -n 30 "$LOG" >&2
    stop_server
    exit 1
}

# transient LINES: true when what the server's log says passes by itself, so that the same start is worth another try.
transient() { return 1; }

# listens: it's this server that has the port, not one of another run with the same password.
listens() {
    socket=$(awk -v port=":$(printf %04X "$PORT")" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10; exit }' /proc/net/tcp)
    [ -n "$socket" ] && ls -l "/proc/$PID/fd" 2>/dev/null | grep -q -F "socket:[$socket]"
}

# attempt: one start of the server. False: it died of something that another try may cure.
attempt() {
    first=
    if [ -f "$HOME_DIR/ports" ]; then
        read -r PORT PORT_TLS <"$HOME_DIR/ports"
    else
        first=1
        pick_ports
    fi
    : >"$LOG"
    launch
    until listens && answers >/dev/null 2>&1; do
        if ! alive; then
            if [ -n "$first" ] && grep -q -i 'address already in use' "$LOG"; then return 1; fi
            if transient && [ "$(now)" -lt "$deadline" ]; then return 1; fi
            failed_start "it ended at its start"
        fi
        [ "$(now)" -lt "$deadline" ] || failed_start "no answer within $START_SECONDS s"
        [ -z "$interrupted" ] || failed_start "interrupted"
        nap
    done
}

start_server() {
    # A signal must not part this script from a server that it has just begun.
    interrupted=
    trap 'interrupted=1' HUP INT TERM
    if alive; then fatal "already runs in $DIR (pid $PID)"; fi
    mkdir -p "$HOME_DIR" || exit 1
    chmod 711 "$HOME_DIR"
    own "$HOME_DIR"
    if [ "$(id -u)" -eq 0 ] && [ -n "$ACCOUNT" ]; then
        (as_account test -w "$HOME_DIR") || fatal "user $ACCOUNT can't reach $DIR; its folders need chmod a+x"
    fi
    : >"$LOG"
    certificates
    if [ ! -f "$HOME_DIR/prepared" ]; then
        (prepare) >>"$LOG" 2>&1 || failed_start "could not make its data"
        : >"$HOME_DIR/prepared"
    fi
    deadline=$(($(now) + START_SECONDS))
    until attempt; do nap; done
    echo "$PORT $PORT_TLS" >"$HOME_DIR/ports"
    if [ ! -f "$HOME_DIR/provisioned" ]; then
        provision >>"$LOG" 2>&1 || failed_start "could not be provided with what tests need"
        : >"$HOME_DIR/provisioned"
    fi
    {
        if [ -n "${DBM_TEST_CA:-}" ]; then variable CA "$DBM_TEST_CA"; fi
        variables
    } >"$DIR/$NAME.env.new" && mv "$DIR/$NAME.env.new" "$DIR/$NAME.env"
    [ -z "$interrupted" ] || failed_start "interrupted"
}

usage() {
    echo "usage: sh tests/servers/$NAME.sh install | start DIR [--cert good|wrong|expired|foreign]${OPTIONS:+ [$OPTIONS]} | stop DIR | remove DIR" >&2
    echo "                                  | create DIR | drop DIR DATABASE | sql DIR [DATABASE] <STATEMENTS" >&2
    exit 2
}

main() {
    [ $# -ge 1 ] || usage
    verb=$1
    shift
    if [ "$verb" = install ]; then
        install_packages
        install_more
        return
    fi
    [ $# -ge 1 ] || usage
    if [ "$verb" = start ]; then mkdir -p "$1" || exit 1; fi
    DIR=$(cd "$1" 2>/dev/null && pwd) || fatal "there is no folder $1"
    shift
    # A socket's path holds 107 bytes.
    [ ${#DIR} -le 70 ] || fatal "the path $DIR is too long for sockets; 70 bytes are the limit"
    case $DIR in *[!A-Za-z0-9/._-]*) fatal "the path $DIR has characters that servers' settings can't hold" ;; esac
    HOME_DIR=$DIR/$NAME
    LOG=$DIR/$NAME.log
    case $verb in
        start)
            while [ $# -gt 0 ]; do
                case $1 in
                    --cert)
                        [ $# -ge 2 ] || usage
                        CERT=$2
                        shift 2
                        ;;
                    *)
                        options "$1" "${2:-}" || usage
                        shift "$OPTION_WORDS"
                        ;;
                esac
            done
            start_server
            ;;
        stop) stop_server ;;
        remove)
            stop_server
            forget
            # What was interrupted while it made the data may write for a moment yet.
            rounds=0
            until rm -rf "$HOME_DIR" "$DIR/$NAME.env" "$LOG" 2>/dev/null || [ "$rounds" -ge 100 ]; do
                rounds=$((rounds + 1))
                nap
            done
            ;;
        create | drop | sql)
            [ -f "$DIR/$NAME.env" ] || fatal "does not run in $DIR"
            . "$DIR/$NAME.env"
            read -r PORT PORT_TLS <"$HOME_DIR/ports"
            "$verb" "$@"
            ;;
        *) usage ;;
    esac
}

# A name for a fresh database that no other test has.
fresh_name() { echo "t$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')"; }
