#!/bin/sh
# A MongoDB server for tests, a replica set of one: mongod where there is one, else SecantusDB, a server of the same protocol from
# PyPI, in an environment of its own under ${XDG_CACHE_HOME:-~/.cache}/dbm-tests. See lib.sh.
# --auth asks for the user's password (SCRAM), --tls for TLS: both change DBM_TEST_MONGODB_URL, and are given at each start anew.
NAME=mongodb ACCOUNT= STOP_SIGNAL=TERM
OPTIONS='--auth --tls'
PACKAGES="python3:python3 openssl:openssl setsid:util-linux"
. "$(dirname "$0")/lib.sh"
SECANTUS=0.7.0b3
VENV=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/dbm-tests/secantusdb-$SECANTUS

# Made beside its place and moved there, so that what stands in the place is whole. A venv that was moved has wrong first lines in its
# programs; they are run through its python.
install_more() {
    [ ! -x "$VENV/bin/python" ] || return 0
    if [ -n "${DBM_TEST_NO_INSTALL:-}" ]; then fatal "missing, and not to be installed from here: SecantusDB $SECANTUS"; fi
    mkdir -p "${VENV%/*}" || exit 1
    new=$(mktemp -d "$VENV.XXXXXX") || exit 1
    trap 'rm -rf "$new"' EXIT
    trap 'exit 143' HUP INT TERM
    python3 -m venv "$new" >"$new/log" 2>&1 || {
        apt_get python3-venv
        python3 -m venv "$new" >"$new/log" 2>&1
    } || {
        cat "$new/log" >&2
        fatal "python3 can't make a venv"
    }
    "$new/bin/python" -m pip install -q --disable-pip-version-check --no-input "SecantusDB==$SECANTUS" >"$new/log" 2>&1 || {
        cat "$new/log" >&2
        fatal "pip could not install SecantusDB $SECANTUS"
    }
    # Somebody else's may have come first.
    mv -T "$new" "$VENV" 2>/dev/null || rm -rf "$new"
    trap - EXIT HUP INT TERM
}

AUTH='' WITH_TLS=''
options() {
    case $1 in
        --auth) AUTH=1 ;;
        --tls) WITH_TLS=1 ;;
        *) return 1 ;;
    esac
    OPTION_WORDS=1
}

# python CODE ARGUMENT...: with `client` for this server; $auth and $tls as they are at that moment.
python() {
    code=$1
    shift
    DBM_PASSWORD=$DB_PASSWORD "$VENV/bin/python" -c "import os, sys, time, pymongo
port, auth, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]
options = {'username': '$DB_USER', 'password': os.environ['DBM_PASSWORD'], 'authSource': 'admin'} if auth else {}
if ca: options.update(tls=True, tlsCAFile=ca, tlsAllowInvalidCertificates=True)
client = pymongo.MongoClient('127.0.0.1', port, directConnection=True, serverSelectionTimeoutMS=3000, **options)
arguments = sys.argv[4:]
$code" "$PORT" "$auth" "$tls" "$@"
}

run() { # AUTH TLS
    auth=$1 tls=$2
    if command -v mongod >/dev/null 2>&1; then
        set -- mongod --bind_ip 127.0.0.1 --port "$PORT" --dbpath "$HOME_DIR/data" --replSet rs0 --setParameter enableTestCommands=1 \
            --unixSocketPrefix "$HOME_DIR" --wiredTigerCacheSizeGB 0.25
        if [ -n "$auth" ]; then set -- "$@" --auth --keyFile "$HOME_DIR/keyfile"; fi
        if [ -n "$tls" ]; then
            set -- "$@" --tlsMode requireTLS --tlsCertificateKeyFile "$TLS/both.pem" --tlsCAFile "$TLS/ca.pem" --tlsAllowConnectionsWithoutCertificates
        fi
        serve "$@"
    else
        set -- "$VENV/bin/python" "$VENV/bin/secantusd-py" --config "$HOME_DIR/none.toml" --host 127.0.0.1 --port "$PORT" \
            --storage-path "$HOME_DIR/data" --cache-size 128M --enable-test-commands --log-level WARNING
        if [ -n "$auth" ]; then set -- "$@" --auth; fi
        if [ -n "$tls" ]; then set -- "$@" --tls-cert-file "$TLS/cert.pem" --tls-key-file "$TLS/key.pem" --tls-ca-file "$TLS/ca.pem"; fi
        serve "$@"
    fi
}

prepare() {
    [ -x "$VENV/bin/python" ] || fatal "not installed: sh tests/servers/mongodb.sh install"
    mkdir -p "$HOME_DIR/data"
    : >"$HOME_DIR/none.toml"
    (umask 077 && openssl rand -base64 48 >"$HOME_DIR/keyfile")
}

# Users are made while nobody is asked for a password, so the first start with --auth is a second one.
launch() {
    cat "$TLS/cert.pem" "$TLS/key.pem" >"$TLS/both.pem"
    tls_ca=${WITH_TLS:+$TLS/ca.pem}
    if [ -n "$AUTH" ] && [ ! -f "$HOME_DIR/users" ]; then
        run '' ''
        until python "$READY" >/dev/null 2>&1; do
            alive && [ "$(now)" -lt "$deadline" ] && [ -z "$interrupted" ] || return 0
            nap
        done
        python "client.admin.command('createUser', '$DB_USER', pwd=os.environ['DBM_PASSWORD'], roles=['root'])" || return 0
        : >"$HOME_DIR/users"
        stop_server
    fi
    run "$AUTH" "$tls_ca"
}

# Ready is who can be written to. mongod has to be told first that it is a replica set.
READY="
while True:
    hello = client.admin.command('hello')
    if hello.get('isWritablePrimary'): break
    if not hello.get('setName'):
        try: client.admin.command('replSetInitiate', {'_id': 'rs0', 'members': [{'_id': 0, 'host': '127.0.0.1:%d' % port}]})
        except pymongo.errors.OperationFailure: pass
    time.sleep(0.05)
client.dbm.ready.insert_one({})
client.dbm.ready.drop()"
answers() { python "$READY"; }

url() {
    query=
    if [ -n "$tls" ]; then query="tls=true&tlsCAFile=$DBM_TEST_CA/ca.pem"; fi
    if [ -n "$auth" ]; then query="authSource=admin${query:+&$query}"; fi
    echo "mongodb://${auth:+$DB_USER:$DB_PASSWORD_URL@}127.0.0.1:$PORT/$1${query:+?$query}"
}
variables() {
    variable MONGODB_URL "$(url "$DB_NAME")"
    variable MONGODB_PORT "$PORT"
    variable MONGODB_PID "$PID"
    echo "$auth $tls" | sed 's/^ /none /; s/ $/ none/' >"$HOME_DIR/how"
}

how() {
    read -r auth tls <"$HOME_DIR/how"
    [ "$auth" != none ] || auth=
    [ "$tls" != none ] || tls=
}
# Databases come into being when they are written to.
create() {
    how
    url "$(fresh_name)"
}
drop() {
    how
    name=${1%%\?*}
    python 'client.drop_database(arguments[0])' "${name##*/}"
}
sql() { fatal "MongoDB has no statements"; }

main "$@"
