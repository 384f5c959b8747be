#!/bin/sh
# A memcached server for tests, TCP. See lib.sh.
NAME=memcached ACCOUNT= STOP_SIGNAL=TERM
PACKAGES="memcached:memcached python3:python3 setsid:util-linux"
. "$(dirname "$0")/lib.sh"

certificates() { :; }
launch() {
    # As root it wants to be told whom to become, and becomes it itself.
    if [ "$(id -u)" -eq 0 ]; then set -- -u memcache; else set --; fi
    serve memcached -l 127.0.0.1 -p "$PORT" -U 0 -m 16 "$@"
}
answers() {
    python3 -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
s.sendall(b"set dbm:ready 0 1 1\r\n1\r\n")
sys.exit(0 if s.recv(64) == b"STORED\r\n" else 1)' "$PORT"
}
variables() {
    variable MEMCACHED "127.0.0.1:$PORT"
    variable MEMCACHED_PID "$PID"
}
create() { fatal "memcached has no databases"; }
drop() { fatal "memcached has no databases"; }
sql() { fatal "memcached has no statements"; }

main "$@"
