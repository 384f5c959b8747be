#!/bin/sh
# Makes the tests' certificates in a folder: `sh tests/servers/ca.sh DIR`. Does nothing when they are there.
#
#   ca.pem ca.key                   the authority that tests trust
#   foreign-ca.pem foreign-ca.key   another one, that they don't
#   good.pem good.key               a server's, for localhost, 127.0.0.1 and ::1
#   wrong.pem wrong.key             the same for other.example
#   expired.pem expired.key         the same for localhost, until yesterday
#   foreign.pem foreign.key         the same for localhost, by the other authority
#   client.pem client.key           a client's, named dbm; client-both.pem has both
#   client-foreign.pem, .key        the same by the other authority
set -u
LC_ALL=C
export LC_ALL
[ $# -eq 1 ] || {
    echo "usage: sh tests/servers/ca.sh DIR" >&2
    exit 2
}
[ ! -f "$1/made" ] || exit 0
# Made beside its place and moved there: several servers may ask at once, and the first to be ready wins.
umask 022
mkdir -p "$(dirname "$1")" && place=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") && new=$(mktemp -d "$place.XXXXXX") || exit 1
trap 'rm -rf "$new"' EXIT
trap 'exit 143' HUP INT TERM
cd "$new" || exit 1

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

authority() { # FILE NAME
    key "$1" && openssl req -x509 -new -config ca.cnf -key "$1.key" -out "$1.pem" -days 30 -subj "/CN=$2"
}

serial=1
certificate() { # FILE AUTHORITY NAME DAYS EXTENSIONS
    serial=$((serial + 1))
    printf '%s\n' "$5" "basicConstraints=critical,CA:FALSE" "authorityKeyIdentifier=keyid" >"$1.ext"
    key "$1" && openssl req -new -config ca.cnf -key "$1.key" -out "$1.csr" -subj "/CN=$3" &&
        openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -set_serial "$serial" -days "$4" -extfile "$1.ext" -out "$1.pem" &&
        rm -f "$1.ext" "$1.csr"
}

make() {
    printf '%s\n' '[req]' 'distinguished_name=dn' 'x509_extensions=ca' '[dn]' '[ca]' 'basicConstraints=critical,CA:TRUE' \
        'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash' >ca.cnf
    here='subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
    authority ca "dbm test authority" && authority foreign-ca "dbm foreign authority" &&
        certificate good ca localhost 30 "$here" &&
        certificate wrong ca other.example 30 'subjectAltName=DNS:other.example' &&
        certificate expired ca localhost -1 "$here" &&
        certificate foreign foreign-ca localhost 30 "$here" &&
        certificate client ca dbm 30 'extendedKeyUsage=clientAuth' &&
        certificate client-foreign foreign-ca dbm 30 'extendedKeyUsage=clientAuth' &&
        cat client.pem client.key >client-both.pem &&
        chmod 600 ./*.key client-both.pem && rm -f ca.cnf && : >made
}
make >log 2>&1 || {
    cat log >&2
    exit 1
}
rm -f log
chmod 755 .
mv -T "$new" "$place" 2>/dev/null || [ -f "$place/made" ] || {
    echo "ca.sh: $place is in the way" >&2
    exit 1
}
