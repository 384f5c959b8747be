#!/bin/sh
# A long job outside of the stages of run.sh: MongoDB's tests with other versions of its driver than the system's. They come from another suite of the
# system's own Debian mirror, unpacked in a directory that goes again, with the C library of that suite, which they are linked to; nothing is installed.
# run.sh then finds them through pkg-config in the place of the system's.
#
#     sh tests/mongoc.sh [SUITE [TESTS]]       forky, the default, has libmongoc 2.x; trixie 1.30. Without names of tests: all, and the examples
#
# Needs Debian on amd64 or arm64, what run.sh needs, and a minute of processor time; the tests take five.
set -eu
cd "$(dirname "$0")/.."
SUITE=${1:-forky}
[ $# -eq 0 ] || shift
WORK=$(mktemp -d "${TMPDIR:-/tmp}/dbm-mongoc.XXXXXX")
chmod a+x "$WORK"
trap 'rm -rf "$WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

mkdir -p "$WORK/apt/sources" "$WORK/apt/state/lists/partial" "$WORK/apt/cache/archives/partial" "$WORK/root" "$WORK/pc"
MIRROR=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep '/debian/$' | sort -u | head -n 1)
[ -n "$MIRROR" ] || { echo "mongoc.sh: apt knows no Debian mirror" >&2; exit 1; }
printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n' "$MIRROR" "$SUITE" >"$WORK/apt/sources/one.sources"
cat >"$WORK/apt/conf" <<END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$WORK/apt/sources";
Dir::State "$WORK/apt/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$WORK/apt/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
END
APT_CONFIG=$WORK/apt/conf apt-get update -qq

# depends PACKAGE PATTERN: what it depends on, of these names.
depends() { APT_CONFIG=$WORK/apt/conf apt-cache depends "$1/$SUITE" | sed -n 's/^ *Depends: //p' | grep -E -x "$2" | sort -u; }
headers="libmongoc-dev libbson-dev"
libraries="$(depends libmongoc-dev 'libmongoc(2|-1).*') $(depends libbson-dev 'libbson(2|-1).*')"
more=$(for library in $libraries; do depends "$library" '(libmongocrypt|libutf8proc|libbson).*|libc6'; done | sort -u)
for package in $(printf '%s\n' $headers $libraries $more | sort -u) $(depends libmongocrypt0 'libbson.*'); do
    (cd "$WORK" && APT_CONFIG=$WORK/apt/conf apt-get download -qq "$package/$SUITE")
done
for file in "$WORK"/*.deb; do dpkg -x "$file" "$WORK/root"; done
printf '%s\n' "$WORK"/*.deb | sed 's|.*/|  |'

LIBS=$(dirname "$(find "$WORK/root" -name 'libmongoc*.so')")
LOADER=$(find "$LIBS" "$WORK/root" -name 'ld-linux*.so.*' | head -n 1)
for file in "$LIBS"/pkgconfig/*.pc; do
    sed "s|^prefix=.*|prefix=$WORK/root/usr|; /^Libs:/s,-l\(mongoc[^ ]*\|bson[^ ]*\),$LIBS/lib\1.so,g; s|^Libs:|& -Wl,--disable-new-dtags,-rpath,$LIBS,--dynamic-linker,$LOADER,--allow-shlib-undefined|" "$file" >"$WORK/pc/${file##*/}"
done
PKG_CONFIG_PATH=$WORK/pc
export PKG_CONFIG_PATH
if [ $# -gt 0 ]; then
    sh tests/run.sh unit asan "$@"
else
    sh tests/run.sh unit asan test_mongodb test_mongodb_cpp test_mongodb_faults test_mongodb_tls
    sh tests/run.sh examples
fi
echo "libmongoc of $SUITE: ok"
