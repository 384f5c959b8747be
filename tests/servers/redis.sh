#!/bin/sh
# A Redis server for tests: a named user, TCP, a Unix socket, and a second port with TLS. See lib.sh.
# --set 'NAME VALUE' adds a line to redis.conf, at each start anew.
NAME=redis ACCOUNT=redis STOP_SIGNAL=TERM
OPTIONS="--set 'NAME VALUE'"
PACKAGES="redis-server:redis-server redis-cli:redis-tools openssl:openssl setsid:util-linux"
. "$(dirname "$0")/lib.sh"

SETTINGS=
options() {
    [ "$1" = --set ] && [ -n "$2" ] || return 1
    SETTINGS="$SETTINGS$2
"
    OPTION_WORDS=2
}

# Whether this build speaks TLS.
with_tls() { ldd "$(command -v redis-server)" 2>/dev/null | grep -q libssl; }

launch() {
    {
        # The nameless user has the same password, for `redis://:password@host`.
        printf '%s\n' "bind 127.0.0.1" "port $PORT" "unixsocket $HOME_DIR/redis.sock" "unixsocketperm 777" "dir $HOME_DIR" \
            "databases 1000" 'save ""' "appendonly no" "daemonize no" "requirepass \"$DB_PASSWORD\"" \
            "user $DB_USER on \">$DB_PASSWORD\" ~* &* +@all"
        if with_tls; then
            printf '%s\n' "tls-port $PORT_TLS" "tls-ca-cert-file $TLS/ca.pem" "tls-cert-file $TLS/cert.pem" "tls-key-file $TLS/key.pem" \
                "tls-auth-clients optional"
        fi
        printf '%s' "$SETTINGS"
    } >"$HOME_DIR/redis.conf"
    own "$HOME_DIR"
    serve redis-server "$HOME_DIR/redis.conf"
}

query() { REDISCLI_AUTH=$DB_PASSWORD redis-cli -h 127.0.0.1 -p "$PORT" --user "$DB_USER" "$@"; }
answers() { [ "$(query ping)" = PONG ]; }

url() { echo "redis://$DB_USER:$DB_PASSWORD_URL@127.0.0.1:$PORT/$1"; }
variables() {
    variable REDIS_URL "$(url 0)"
    variable REDIS_SOCKET_URL "unix://$DB_USER:$DB_PASSWORD_URL@$HOME_DIR/redis.sock?db=0"
    if with_tls; then variable REDIS_TLS_URL "rediss://$DB_USER:$DB_PASSWORD_URL@127.0.0.1:$PORT_TLS/0"; fi
    variable REDIS_PORT "$PORT"
    variable REDIS_PID "$PID"
}

# The databases have numbers: 0 is everybody's and counts the others, which are given out once each.
create() { url "$(query incr dbm:databases)"; }
drop() { query -n "${1##*/}" flushdb >/dev/null; }
sql() { query -n "${1:-0}"; }

main "$@"
