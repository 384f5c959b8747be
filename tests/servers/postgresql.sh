#!/bin/sh
# A PostgreSQL server for tests: scram passwords, TCP and a Unix socket, TLS. See lib.sh.
# --set NAME=VALUE adds a line to postgresql.conf, at each start anew.
NAME=postgresql ACCOUNT=postgres STOP_SIGNAL=INT
OPTIONS='--set NAME=VALUE'
PACKAGES="psql:postgresql-client openssl:openssl setsid:util-linux"
. "$(dirname "$0")/lib.sh"

bin() { ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1; }
BIN=$(bin)

install_more() {
    if [ -z "$BIN" ]; then apt_get postgresql; fi
}

SETTINGS=
options() {
    [ "$1" = --set ] && [ -n "$2" ] || return 1
    SETTINGS="$SETTINGS -c $2"
    OPTION_WORDS=2
}

prepare() {
    [ -n "$BIN" ] || fatal "PostgreSQL is not installed"
    mkdir -p "$HOME_DIR/data" "$HOME_DIR/s"
    printf '%s\n' "$DB_PASSWORD" >"$HOME_DIR/password"
    own "$HOME_DIR"
    chmod 755 "$HOME_DIR/s"
    (as_account "$BIN/initdb" -D "$HOME_DIR/data" -U "$DB_USER" --pwfile="$HOME_DIR/password" -A scram-sha-256 --no-sync --no-instructions \
        -E UTF8 --locale=C) || return 1
    rm -f "$HOME_DIR/password"
    echo "create database $DB_NAME" | (as_account "$BIN/postgres" --single -F -D "$HOME_DIR/data" postgres)
}

# Fast, but what was committed outlives kill -9: it's the disk alone that isn't waited for.
launch() {
    serve "$BIN/postgres" -D "$HOME_DIR/data" -p "$PORT" -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$HOME_DIR/s" \
        -c fsync=off -c full_page_writes=off -c shared_buffers=32MB -c max_connections=200 \
        -c max_prepared_transactions=10 -c max_wal_size=256MB -c ssl=on -c "ssl_ca_file=$TLS/ca.pem" -c "ssl_cert_file=$TLS/cert.pem" \
        -c "ssl_key_file=$TLS/key.pem" -c logging_collector=off -c log_timezone=UTC -c timezone=UTC $SETTINGS
}

# After kill -9 the server's children hold its memory until they notice.
transient() { grep -q 'shared memory block\|lock file "postmaster.pid" already exists' "$LOG"; }

# After kill -9 its piece of System V memory stays: key and number are on the seventh line.
forget() {
    [ -f "$HOME_DIR/data/postmaster.pid" ] || return 0
    sed -n 7p "$HOME_DIR/data/postmaster.pid" | {
        read -r key id || exit 0
        if ipcs -m | grep -q "^$(printf '0x%08x' "$key") *$id "; then ipcrm -m "$id"; fi
    }
}

query() { # DATABASE: statements from the standard input
    PGPASSWORD=$DB_PASSWORD PGCONNECT_TIMEOUT=5 psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$PORT" -U "$DB_USER" -d "$1"
}
answers() { echo "select 1" | query "$DB_NAME"; }

url() { echo "postgresql://$DB_USER:$DB_PASSWORD_URL@127.0.0.1:$PORT/$1"; }
variables() {
    variable POSTGRESQL_URL "$(url "$DB_NAME")"
    variable POSTGRESQL_SOCKET_URL "postgresql://$DB_USER:$DB_PASSWORD_URL@/$DB_NAME?host=$HOME_DIR/s&port=$PORT"
    variable POSTGRESQL_PORT "$PORT"
    variable POSTGRESQL_PID "$PID"
}

create() {
    name=$(fresh_name)
    echo "create database $name" | query "$DB_NAME" && url "$name"
}
drop() { echo "drop database if exists \"${1##*/}\" with (force)" | query postgres; }
sql() { query "${1:-$DB_NAME}"; }

main "$@"
