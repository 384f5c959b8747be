#!/bin/sh
# A PgBouncer in transaction mode for tests, before the PostgreSQL server that runs in DIR, or in the DIR after --postgresql. See lib.sh.
# --set 'NAME = VALUE' adds a line to its settings, at each start anew.
NAME=pgbouncer ACCOUNT=postgres STOP_SIGNAL=TERM
OPTIONS="--postgresql DIR --set 'NAME = VALUE'"
PACKAGES="pgbouncer:pgbouncer psql:postgresql-client openssl:openssl setsid:util-linux"
. "$(dirname "$0")/lib.sh"

SETTINGS= BEHIND=
options() {
    [ -n "$2" ] || return 1
    case $1 in
        --postgresql) BEHIND=$2 ;;
        --set)
            SETTINGS="$SETTINGS$2
"
            ;;
        *) return 1 ;;
    esac
    OPTION_WORDS=2
}

launch() {
    behind=${BEHIND:-$DIR}
    [ -f "$behind/postgresql/ports" ] || fatal "no PostgreSQL server has been started in $behind"
    read -r behind_port behind_none <"$behind/postgresql/ports"
    printf '"%s" "%s"\n' "$DB_USER" "$DB_PASSWORD" >"$HOME_DIR/users.txt"
    # It goes on when the port is taken; then nobody answers, and what it says is that the address is in use.
    printf '%s\n' "[databases]" "* = host=127.0.0.1 port=$behind_port" "[pgbouncer]" "listen_addr = 127.0.0.1" "listen_port = $PORT" \
        "unix_socket_dir =" "auth_type = scram-sha-256" "auth_file = $HOME_DIR/users.txt" "admin_users = $DB_USER" "pool_mode = transaction" \
        "max_client_conn = 200" "default_pool_size = 20" "ignore_startup_parameters = extra_float_digits" "client_tls_sslmode = allow" \
        "client_tls_ca_file = $TLS/ca.pem" "client_tls_cert_file = $TLS/cert.pem" "client_tls_key_file = $TLS/key.pem" \
        "$SETTINGS" >"$HOME_DIR/pgbouncer.ini"
    own "$HOME_DIR"
    serve pgbouncer "$HOME_DIR/pgbouncer.ini"
}

query() { # DATABASE: statements from the standard input
    PGPASSWORD=$DB_PASSWORD PGCONNECT_TIMEOUT=5 psql -X -q -A -t -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$PORT" -U "$DB_USER" -d "$1"
}
answers() { echo "select 1" | query "$DB_NAME"; }

url() { echo "postgresql://$DB_USER:$DB_PASSWORD_URL@127.0.0.1:$PORT/$1"; }
variables() {
    variable PGBOUNCER_URL "$(url "$DB_NAME")"
    variable PGBOUNCER_PORT "$PORT"
    variable PGBOUNCER_PID "$PID"
}
create() { fatal "databases are made by postgresql.sh"; }
drop() { fatal "databases are dropped by postgresql.sh"; }
sql() { query "${1:-$DB_NAME}"; }

main "$@"
