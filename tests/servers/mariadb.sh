#!/bin/sh
# A MariaDB server for tests: passwords, TCP and a Unix socket, TLS. See lib.sh.
# --set NAME=VALUE is handed to mariadbd as --NAME=VALUE, at each start anew.
NAME=mariadb ACCOUNT=mysql STOP_SIGNAL=TERM
OPTIONS='--set NAME=VALUE'
PACKAGES="mariadbd:mariadb-server mariadb:mariadb-client openssl:openssl setsid:util-linux"
. "$(dirname "$0")/lib.sh"
SOCKET=

SETTINGS=
options() {
    [ "$1" = --set ] && [ -n "$2" ] || return 1
    SETTINGS="$SETTINGS --$2"
    OPTION_WORDS=2
}

# Fast, but what was committed outlives kill -9: it's the disk alone that isn't waited for.
INNODB="--innodb-buffer-pool-size=32M --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=2 --innodb-doublewrite=0
    --innodb-flush-method=nosync --innodb-use-native-aio=0"

prepare() {
    mkdir -p "$HOME_DIR/data" "$HOME_DIR/tmp"
    # The user may do everything from everywhere; the nameless ones, who would come before it on the socket, go.
    {
        echo "create database if not exists $DB_NAME;"
        echo "delete from mysql.global_priv where User = '';"
        echo "flush privileges;"
        echo "create user if not exists $DB_USER@'%' identified by '$DB_PASSWORD';"
        echo "grant all privileges on *.* to $DB_USER@'%' with grant option;"
    } >"$HOME_DIR/init.sql"
    own "$HOME_DIR"
    # By TMPDIR, which may be a place that only the caller can write to, it would fail.
    TMPDIR=$HOME_DIR/tmp && export TMPDIR
    (as_account mariadb-install-db --no-defaults --datadir="$HOME_DIR/data" --auth-root-authentication-method=normal --skip-test-db \
        --skip-name-resolve $INNODB)
}

launch() {
    serve mariadbd --no-defaults --datadir="$HOME_DIR/data" --tmpdir="$HOME_DIR/tmp" --bind-address=127.0.0.1 --port="$PORT" \
        --socket="$HOME_DIR/mariadb.sock" --pid-file="$HOME_DIR/mariadbd.pid" --init-file="$HOME_DIR/init.sql" --skip-name-resolve \
        --max-allowed-packet=16M --max-connections=200 --character-set-server=utf8mb4 $INNODB \
        --ssl-ca="$TLS/ca.pem" --ssl-cert="$TLS/cert.pem" --ssl-key="$TLS/key.pem" $SETTINGS
}

# The init file may be still running when the first client comes: then the name is not known yet, and the answer is no.
query() { # DATABASE: statements from the standard input
    MYSQL_PWD=$DB_PASSWORD mariadb --no-defaults --connect-timeout=5 -h 127.0.0.1 -P "$PORT" -u "$DB_USER" -N -B "$1"
}
answers() { echo "select 1" | query "$DB_NAME"; }

# After kill -9 the locks of the files may outlive the server by a moment.
transient() { grep -q "Can't lock\|Unable to lock" "$LOG"; }

url() { echo "mysql://$DB_USER:$DB_PASSWORD_URL@127.0.0.1:$PORT/$1"; }
variables() {
    variable MYSQL_URL "$(url "$DB_NAME")"
    variable MYSQL_SOCKET_URL "mysql://$DB_USER:$DB_PASSWORD_URL@localhost/$DB_NAME?unix_socket=$HOME_DIR/mariadb.sock"
    variable MYSQL_PORT "$PORT"
    variable MYSQL_PID "$PID"
}

create() {
    name=$(fresh_name)
    echo "create database $name" | query "$DB_NAME" && url "$name"
}
drop() { echo "drop database if exists \`${1##*/}\`" | query mysql; }
sql() { query "${1:-$DB_NAME}"; }

main "$@"
