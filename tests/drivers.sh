# The backends that src/adapters/ has, and what their drivers want, read by run.sh and lib.sh. After `find_drivers ROOT`:
#     BACKENDS         the switches
#     DRIVER_CFLAGS    where the headers are; as the system's, so that no warning comes from them
#     DRIVER_LIBS      what to link
#     LOOPS, LOOP_LIBS the same for the loops of others that dbm_loop can be part of: they are no part of DBM_WITH_ALL
# `driver_packages ROOT TOOL HEADER` calls TOOL PACKAGE COMMAND and HEADER PACKAGE FILE for each that is needed to build them.
# An adapter that comes to src/adapters/ is built and tested from then on. SQLite, INI files and the asynchronous half are always there.

# each_driver FUNCTION: FUNCTION SWITCH PACKAGE HEADER MODULE..., the modules of pkg-config in the order in which they are looked for.
each_driver() {
    if [ -f "$drivers_root/src/adapters/postgresql.c" ]; then "$1" POSTGRESQL libpq-dev postgresql/libpq-fe.h libpq; fi
    if [ -f "$drivers_root/src/adapters/mysql.c" ]; then "$1" MYSQL default-libmysqlclient-dev mysql/mysql.h libmariadb mysqlclient; fi
    if [ -f "$drivers_root/src/adapters/redis.c" ]; then "$1" REDIS libhiredis-dev hiredis/hiredis.h hiredis; fi
    if [ -f "$drivers_root/src/adapters/mongodb.c" ]; then "$1" MONGODB "libmongoc-dev libbson-dev" libmongoc-1.0/mongoc/mongoc.h mongoc2 libmongoc-1.0; fi
}

driver_package() {
    "$driver_tool" pkg-config pkg-config
    "$driver_header" "$2" "$3"
}
driver_packages() {
    drivers_root=$1 driver_tool=$2 driver_header=$3
    "$driver_header" libsqlite3-dev sqlite3.h
    "$driver_header" libinih-dev ini.h
    "$driver_header" libuv1-dev uv.h
    "$driver_header" libev-dev ev.h
    "$driver_header" libevent-dev event2/event.h
    each_driver driver_package
}

add_driver() {
    BACKENDS="$BACKENDS -DDBM_WITH_$1"
    shift 3
    for module in "$@"; do
        if pkg-config --exists "$module" 2>/dev/null; then
            DRIVER_CFLAGS="$DRIVER_CFLAGS $(pkg-config --cflags-only-I "$module" | sed 's/-I */-isystem /g')"
            DRIVER_LIBS="$DRIVER_LIBS $(pkg-config --libs "$module")"
            return
        fi
    done
}
find_drivers() {
    drivers_root=$1
    BACKENDS="-DDBM_WITH_SQLITE -DDBM_WITH_INI -DDBM_WITH_ASYNC" DRIVER_CFLAGS='' DRIVER_LIBS="-lsqlite3 -linih"
    # libev has functions of libevent's names; the one that comes first is taken.
    LOOPS="-DDBM_WITH_LIBUV -DDBM_WITH_LIBEV -DDBM_WITH_LIBEVENT" LOOP_LIBS="-luv -levent_core -lev"
    each_driver add_driver
}
