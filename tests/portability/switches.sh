#!/bin/sh
# How switches are spelt and where they are found: empty, 1 and 0, near spellings, dbm_config.h; and that each mistake is answered
# by the message that cures it.
. "$(dirname "$0")/../lib.sh"

mkdir "$WORK/alone" "$WORK/beside" "$WORK/elsewhere"
cp "$HEADERS/dbm.h" "$WORK/alone/dbm.h" || exit 1
cp "$HEADERS/dbm.h" "$WORK/beside/dbm.h"
printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$WORK/implementation.c"
printf '#include "dbm.h"\nint main(void) { return 0; }\n' >"$WORK/declarations.c"

# has_it NAME 0|1 FLAGS...: DBM_HAS_NAME comes out as that.
has_it() {
    name=$1 wanted=$2
    shift 2
    printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n#if DBM_HAS_%s != %s\n#error "DBM_HAS_%s is not %s"\n#endif\n' \
        "$name" "$wanted" "$name" "$wanted" >"$WORK/has.c"
    gcc -std=c11 $WARNINGS $DRIVER_CFLAGS "$@" -E "$WORK/has.c" -o "$WORK/out.i"
}
alone() {
    has_it "$@" -iquote "$WORK/alone"
}
check "dbm.h alone compiles" gcc -std=c11 $WARNINGS -iquote "$WORK/alone" -c "$WORK/implementation.c" -o "$WORK/out.o"
for name in $(echo "$BACKENDS" | sed 's/-DDBM_WITH_//g'); do
    check "DBM_WITH_$name not defined" alone $name 0
    check "DBM_WITH_$name empty" alone $name 1 -DDBM_WITH_$name=
    check "DBM_WITH_$name=1" alone $name 1 -DDBM_WITH_$name=1
    check "DBM_WITH_$name=0" alone $name 0 -DDBM_WITH_$name=0
    check "DBM_WITH_ALL gives $name" alone $name 1 -DDBM_WITH_ALL
    check "DBM_WITH_ALL=0 gives no $name" alone $name 0 -DDBM_WITH_ALL=0
    check "DBM_WITH_$name=0 wins over DBM_WITH_ALL" alone $name 0 -DDBM_WITH_ALL -DDBM_WITH_$name=0
done
check "DBM_WITH_SQLITE3 means DBM_WITH_SQLITE" alone SQLITE 1 -DDBM_WITH_SQLITE3
check "DBM_WITH_SQLITE3=0 means DBM_WITH_SQLITE=0" alone SQLITE 0 -DDBM_WITH_SQLITE3=0
check "DBM_WITH_HIREDIS means DBM_WITH_REDIS" alone REDIS 1 -DDBM_WITH_HIREDIS
check "DBM_WITH_INIH means DBM_WITH_INI" alone INI 1 -DDBM_WITH_INIH
check "DBM_NO_THREADS=0 is off" gcc -std=c11 $WARNINGS -iquote "$WORK/alone" -DDBM_NO_THREADS=0 -c "$WORK/implementation.c" -o "$WORK/out.o"

# dbm_config.h: -I first, then beside dbm.h; or another file; or none.
printf '#ifndef DBM_CONFIG_H\n#define DBM_CONFIG_H\n#define DBM_WITH_SQLITE\n#endif\n' >"$WORK/beside/dbm_config.h"
printf '#ifndef DBM_CONFIG_H\n#define DBM_CONFIG_H\n#define DBM_WITH_INI\n#endif\n' >"$WORK/elsewhere/dbm_config.h"
printf '#define DBM_WITH_INI\n' >"$WORK/elsewhere/other.h"
check "dbm_config.h beside dbm.h" has_it SQLITE 1 -iquote "$WORK/beside"
check "dbm_config.h by -I wins over the one beside dbm.h" has_it SQLITE 0 -iquote "$WORK/beside" -I"$WORK/elsewhere"
check "and is read" has_it INI 1 -iquote "$WORK/beside" -I"$WORK/elsewhere"
check "DBM_CONFIG_FILE" has_it INI 1 -iquote "$WORK/beside" -I"$WORK/elsewhere" '-DDBM_CONFIG_FILE="other.h"'
check "DBM_NO_CONFIG" has_it SQLITE 0 -iquote "$WORK/beside" -DDBM_NO_CONFIG
cp "$ROOT/dbm_config.h" "$WORK/beside/dbm_config.h"
for name in $(echo "$BACKENDS" | sed 's/-DDBM_WITH_//g'); do
    check "dbm_config.h as shipped changes nothing: $name" has_it $name 0 -iquote "$WORK/beside"
done
# Every switch of it can be switched on: the commented #define is one.
sed -n 's|^/\* \(#define .*\) \*/$|\1|p' "$ROOT/dbm_config.h" >"$WORK/defines"
uncommented() {
    [ -s "$WORK/defines" ] && while IFS= read -r line; do
        name=$(printf '%s\n' "$line" | sed 's/^#define \([A-Z0-9_]*\).*/\1/')
        printf '%s\n#if !defined(%s)\n#error %s\n#endif\nint x;\n' "$line" "$name" "$name" >"$WORK/define.c"
        gcc -std=c11 $WARNINGS -c "$WORK/define.c" -o "$WORK/out.o" || return 1
    done <"$WORK/defines"
}
check "each line of dbm_config.h is a #define" uncommented

# Mistakes.
implementation() {
    gcc -std=c11 -iquote "$WORK/alone" "$@" -fsyntax-only "$WORK/implementation.c"
}
declarations() {
    gcc -std=c11 -iquote "$WORK/alone" "$@" -fsyntax-only "$WORK/declarations.c"
}
while read -r wrong text; do
    check "$wrong is answered" refuses "$text" implementation "-D$wrong"
    check "$wrong is answered in every file" refuses "$text" declarations "-D$wrong"
done <<'EOF'
DBM_USE_SQLITE dbm: the switch for SQLite is DBM_WITH_SQLITE
DBM_ENABLE_SQLITE dbm: the switch for SQLite is DBM_WITH_SQLITE
WITH_DBM_SQLITE dbm: the switch for SQLite is DBM_WITH_SQLITE
DBM_USE_POSTGRES dbm: the switch for PostgreSQL is DBM_WITH_POSTGRESQL
DBM_USE_MARIADB dbm: the switch for MySQL and MariaDB is DBM_WITH_MYSQL
DBM_USE_REDIS dbm: the switch for Redis is DBM_WITH_REDIS
DBM_USE_MONGO dbm: the switch for MongoDB is DBM_WITH_MONGODB
DBM_USE_INI dbm: the switch for INI files is DBM_WITH_INI
DBM_IMPL dbm: the implementation is asked for by DBM_IMPLEMENTATION
DBM_IMPLEMENT dbm: the implementation is asked for by DBM_IMPLEMENTATION
DBM_H_IMPLEMENTATION dbm: the implementation is asked for by DBM_IMPLEMENTATION
EOF
check "DBM_STATIC without DBM_IMPLEMENTATION" refuses "dbm: DBM_STATIC makes a private copy in one file; define DBM_IMPLEMENTATION" declarations -DDBM_STATIC
for own in LIBUV LIBEV LIBEVENT; do # no part of DBM_WITH_ALL; each brings DBM_WITH_ASYNC
    check "DBM_WITH_ALL gives no $own" alone $own 0 -DDBM_WITH_ALL
    check "DBM_WITH_$own" alone $own 1 -DDBM_WITH_$own
    check "DBM_WITH_$own=0" alone $own 0 -DDBM_WITH_$own=0
    check "DBM_WITH_$own brings ASYNC" alone ASYNC 1 -DDBM_WITH_$own
    check "DBM_WITH_$own without ASYNC" refuses "dbm: DBM_WITH_LIBUV, _LIBEV and _LIBEVENT need DBM_WITH_ASYNC" implementation "-DDBM_WITH_$own" -DDBM_WITH_ASYNC=0
done
check "half an allocator" refuses "dbm: define all three of DBM_MALLOC" implementation -DDBM_MALLOC=malloc

# A system header first. Only _POSIX_C_SOURCE hides what dbm.h needs; with gcc's -std=gnu11 all is there.
printf '#include <stdio.h>\n#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$WORK/late.c"
check "a system header before the implementation" refuses "dbm: a system header came before dbm.h" \
    gcc -std=c99 -iquote "$WORK/alone" -c "$WORK/late.c" -o "$WORK/out.o"
check "a system header before it, with -D_POSIX_C_SOURCE" gcc -std=c99 $WARNINGS -D_POSIX_C_SOURCE=200809L -iquote "$WORK/alone" -c "$WORK/late.c" -o "$WORK/out.o"
check "a system header before it, with -std=gnu11" gcc -std=gnu11 $WARNINGS -iquote "$WORK/alone" -c "$WORK/late.c" -o "$WORK/out.o"

# A driver that is not installed: an include path that has everything but its header.
multiarch=$(gcc -print-multiarch)
mkdir "$WORK/include"
for f in /usr/include/*; do
    case $f in
        */sqlite3*.h | */ini.h | */libmongoc-* | */mongoc-* | */postgresql | */libpq* | */uv.h | */ev.h | */event2 | */mariadb | */mysql* | */dbm.h | "/usr/include/$multiarch") ;;
        *) ln -s "$f" "$WORK/include/" ;;
    esac
done
without_drivers() {
    implementation -nostdinc -isystem "$(gcc -print-file-name=include)" -isystem "/usr/include/$multiarch" -isystem "$WORK/include" "$@"
}
check "without drivers installed it compiles" without_drivers
while read -r switch header package; do
    check "a missing $header" refuses "dbm: " without_drivers "-DDBM_WITH_$switch"
    check "says what to install" refuses "$package" without_drivers "-DDBM_WITH_$switch"
done <<'END'
SQLITE sqlite3.h libsqlite3-dev
POSTGRESQL libpq-fe.h libpq-dev
MYSQL mysql.h libmariadb-dev
MONGODB mongoc/mongoc.h libmongoc-dev
INI ini.h libinih-dev
LIBUV uv.h libuv1-dev
LIBEV ev.h libev-dev
LIBEVENT event2/event.h libevent-dev
END
finish
