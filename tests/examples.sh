#!/bin/sh
# Every example: built with gcc and clang in C99 and C11 (C++11 and C++17) without a warning, run, its output compared; and the
# script that users start with. Those that need servers find them by DBM_TEST_SERVERS, as tests/run.sh starts them; those of built-in adapters
# are tested once src/adapters/ has them.
# alone: redis (one of them listens there, and tests end the connections of all who subscribe)
. "$(dirname "$0")/lib.sh"

if [ -f "${DBM_TEST_SERVERS:-}/env" ]; then
    . "$DBM_TEST_SERVERS/env"
else
    echo "not ok the servers run: by hand, sh tests/servers/all.sh start DIR && . DIR/env"
    exit 1
fi
SQLITE_URL=sqlite:///five.db POSTGRESQL_URL=$DBM_TEST_POSTGRESQL_URL MYSQL_URL=$DBM_TEST_MYSQL_URL REDIS_URL=$DBM_TEST_REDIS_URL
MONGODB_URL=$DBM_TEST_MONGODB_URL MEMCACHED_URL=memcached://$DBM_TEST_MEMCACHED
postgresql_odbc() { echo "odbc://$(echo "$1" | sed 's|^[^:]*://||; s|/.*||')/?driver=PostgreSQL%20Unicode&protocol=7.4-0&database=${1##*/}"; }
export SQLITE_URL POSTGRESQL_URL MYSQL_URL REDIS_URL MONGODB_URL MEMCACHED_URL
has_all() { for backend in "$@"; do [ -f "$ROOT/src/adapters/$backend.c" ] || return 1; done; }
with_servers="adapter_memcached adapter_odbc"
if has_all postgresql redis; then with_servers="$with_servers listen web_cache async_libuv"; fi
if has_all postgresql mysql redis mongodb; then with_servers="$with_servers five_databases"; fi
if has_all postgresql mysql redis; then with_servers="$with_servers async_fanout"; fi

# tree: what lies in the repository, so that litter is seen.
tree() { (cd "$ROOT" && find . -path ./.git -prune -o -type f ! -name '*.pyc' -print | LC_ALL=C sort); }
tree >"$WORK/tree.before"

# says TEXT: the example printed this line, or one that contains it.
says() { grep -F -q -e "$1" "$WORK/said" || { echo "it did not print: $1"; cat "$WORK/said"; return 1; }; }
mute() { [ ! -s "$WORK/errors" ] || { echo "it wrote to stderr:"; cat "$WORK/errors"; return 1; }; }

# run NAME: in a directory of its own; twice, because the second run finds the files of the first.
run() {
    mkdir -p "$WORK/in" && cp "$ROOT/examples/integration.ini" "$ROOT/examples/five_databases.ini" "$WORK/in/" || return 1
    rounds="1 2"
    if [ "$1" = threads ]; then rounds=1; fi
    for round in $rounds; do
        (cd "$WORK/in" && "$WORK/$1" >"$WORK/said" 2>"$WORK/errors") || { echo "exit status $? in round $round"; cat "$WORK/said" "$WORK/errors"; return 1; }
    done
    rm -rf "$WORK/in"
}
build() { "$@"; }

# checked NAME: what each example must have said.
checked() {
    case $1 in
        quickstart)
            check "$2: commits" says "the first session: DBM_OK"
            check "$2: rolls back" says "the second session: DBM_E_CONSTRAINT"
            check "$2: says why" says "why: UNIQUE constraint failed: users.name"
            check "$2: says where" says "examples/quickstart.c:"
            check "$2: nothing of the second session stayed" says "Ada is 36"
            check "$2: a model's rows" says "Ada is grown up, and an admin"
            check "$2: no warning" mute
            ;;
        threads)
            check "$2: a progress line" says " of 1000 transfers, "
            check "$2: the sum" says "100 accounts hold 100000, as they should: yes"
            check "$2: the pool's numbers" says "4 connections opened"
            check "$2: no time-outs" says ", 0 timed out"
            check "$2: no failures" says "failures: 0"
            check "$2: no warning" mute
            ;;
        bulk_import)
            check "$2: a key that is there" says "line 4 is left out: UNIQUE constraint failed: cities.id"
            check "$2: NULL" says "line 5 is left out: NOT NULL constraint failed: cities.name"
            check "$2: the others" says "3 rows imported"
            check "$2: no warning" mute
            ;;
        cpp_app)
            check "$2: commits" says "apples after a sale of 4: 6"
            check "$2: throws" says "a sale of 11 plums: only 10 of plum in stock"
            check "$2: rolls back" says "plums after it: 10, because the exception rolled back"
            check "$2: texts" says "k's \"pear\": no price"
            check "$2: numbers" says "plum: 0.25"
            check "$2: gives back" says "connections that are out: 0"
            check "$2: the warning names the place" grep -q 'cpp_app.cpp:[0-9]* was left before its end' "$WORK/errors"
            ;;
        custom_adapter)
            check "$2: rows of a file" says "Alan, born in 1912"
            check "$2: session" says "2 people of London: DBM_OK"
            check "$2: errors" says "there is no file of this name in the directory"
            check "$2: no warning" mute
            ;;
        adapter_memcached)
            check "$2: several keys" says "user:2 is Grace Hopper"
            check "$2: session" says "the session: DBM_OK"
            check "$2: its own errors" says "a wrong statement: there is no such command"
            check "$2: the server's errors" says "non-numeric value"
            check "$2: health" says "health of cache (memcached): DBM_OK"
            check "$2: one connection for all sessions" says "pool: 1 of 4 connections open"
            check "$2: no warning" mute
            ;;
        adapter_odbc)
            check "$2: commits" says "the first session: DBM_OK"
            check "$2: rolls back" says "the second session: DBM_E_CONSTRAINT"
            check "$2: rows" says "au lait: 9"
            check "$2: timestamps" says "sold 2024-02-29 12:34:56"
            check "$2: no warning" mute
            ;;
        listen)
            check "$2: subscribes" says "listening"
            check "$2: hears" says "orders: message 3"
            check "$2: no warning" mute
            ;;
        async_fanout)
            check "$2: a progress line" says " of 1000 tasks are over"
            check "$2: all of them" says "1000 orders sold, 0 failed"
            check "$2: gives back" says "connections, 0 of them out"
            if [ -n "${3:-}" ]; then check "$2: Redis" says "Redis counted 1000"; check "$2: PostgreSQL and MariaDB" says "in 3 databases"; fi
            check "$2: no warning" mute
            ;;
        web_cache)
            check "$2: a warm cache" says "100.0 % from Redis"
            check "$2: invalidation" says "product 1 costs 123456.78 now"
            check "$2: no page was wrong" says "errors: 0"
            check "$2: no warning" mute
            ;;
        async_libuv)
            check "$2: each page was right" says "2992 pages were visited, 0 were wrong"
            check "$2: the cache serves" grep -q '^2992 requests: 2[0-9]* from Redis, [23][0-9]* from PostgreSQL, 48 of no item, 0 failed; 16 clients at once$' "$WORK/said"
            check "$2: no warning" mute
            ;;
        five_databases)
            for name_of in default orders stock; do
                check "$2: $name_of" says "$(printf '%-8s 2 prices raised: Caf\303\251 5.50 tea 4.25, 1 over 5' $name_of)"
                check "$2: $name_of: rolls back" says "$(printf '%-8s an insert that must fail: DBM_E_CONSTRAINT' $name_of)"
            done
            check "$2: Redis" says "hello for 60 s more"
            check "$2: MongoDB" says "2 documents: login 1 sale 42"
            for type in sqlite postgresql mysql redis mongodb; do check "$2: health of $type" grep -q "  $type  *DBM_OK  " "$WORK/said"; done
            check "$2: no warning" mute
            ;;
    esac
}

for name in quickstart threads custom_adapter bulk_import async_fanout; do
    for cc in gcc clang; do
        for std in c99 c11; do
            check "$name: $cc $std" build $cc -std=$std -O0 $WARNINGS "-I$ROOT" "$ROOT/examples/$name.c" -o "$WORK/$name" -lsqlite3 -linih -lpthread || continue
            check "$name: $cc $std: runs" run $name || continue
            checked $name "$name: $cc $std"
        done
    done
done
for cc in g++ clang++; do
    for std in c++11 c++17; do
        check "cpp_app: $cc $std" build $cc -std=$std -O0 $WARNINGS "-I$ROOT" "$ROOT/examples/cpp_app.cpp" -o "$WORK/cpp_app" -lsqlite3 -lpthread || continue
        check "cpp_app: $cc $std: runs" run cpp_app || continue
        checked cpp_app "cpp_app: $cc $std"
    done
done
libraries() {
    case $1 in
        adapter_memcached) echo "-lmemcached -linih" ;;
        adapter_odbc) echo "-lodbc -linih" ;;
        async_libuv) echo "$DRIVER_CFLAGS $DRIVER_LIBS -luv" ;;
        async_fanout) echo "-DDBM_WITH_POSTGRESQL -DDBM_WITH_MYSQL -DDBM_WITH_REDIS $DRIVER_CFLAGS $DRIVER_LIBS" ;;
        listen) echo "-DDBM_WITH_POSTGRESQL -DDBM_WITH_REDIS $DRIVER_CFLAGS $DRIVER_LIBS" ;;
        *) echo "$DRIVER_CFLAGS $DRIVER_LIBS" ;;
    esac
}
for name in $with_servers; do
    for cc in gcc clang; do
        for std in c99 c11; do
            check "$name: $cc $std" build $cc -std=$std -O0 $WARNINGS "-I$ROOT" "$ROOT/examples/$name.c" -o "$WORK/$name" $(libraries $name) -lpthread || continue
            check "$name: $cc $std: runs" run $name || continue
            checked $name "$name: with servers: $cc $std" servers
        done
    done
done
# ODBC's has run on SQLite; now the same on a server, whose name it then says.
on_postgresql() { (ODBC_URL=$(postgresql_odbc "$DBM_TEST_POSTGRESQL_URL") && export ODBC_URL && run adapter_odbc); }
check "adapter_odbc: on PostgreSQL" on_postgresql && checked adapter_odbc "adapter_odbc: on PostgreSQL"
check "adapter_odbc: on PostgreSQL: its name" says "the source is PostgreSQL"
# A server that is not there is told, and ends the program with 1; a cache alone may be missing.
is_told() {
    (cd "$WORK" && "$WORK/$1") >"$WORK/said" 2>"$WORK/errors"
    [ $? -eq 1 ] && grep -q "can't be opened" "$WORK/errors"
}
without() { (eval "$1=\$2" && export "$1" && is_told "$3"); }
check "adapter_memcached: without a server" without MEMCACHED_URL memcached://127.0.0.1:1 adapter_memcached
check "adapter_odbc: without a source" without ODBC_URL odbc:///nowhere adapter_odbc
case $with_servers in
    *web_cache*)
        listens() { (cd "$WORK" && ./listen "$DBM_TEST_REDIS_URL" --self 2 stock orders) >"$WORK/said" 2>"$WORK/errors"; }
        check "listen: on Redis" listens && check "listen: on Redis: hears" says "stock: message 2"
        check "web_cache: without PostgreSQL" without POSTGRESQL_URL postgresql://127.0.0.1:1/x web_cache
        # A load from outside, that stops in the middle of it: every request is answered, and every connection given back.
        service() {
            (cd "$WORK" && exec ./async_libuv 0) >"$WORK/said" 2>"$WORK/errors" &
            service_pid=$!
            for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do grep -q listening "$WORK/said" && break; sleep 0.5; done
            service_url=http://$(sed -n 's/^listening on //p' "$WORK/said")/item
            wrk -t1 -c32 -d3 --timeout 10 "$service_url/7" >"$WORK/wrk" 2>&1
            wrk -t1 -c32 -d3 --timeout 10 "$service_url/8" >"$WORK/wrk2" 2>&1 &
            wrk_pid=$!
            sleep 1
            kill -INT "$service_pid"
            wait "$service_pid"
            service_status=$?
            wait "$wrk_pid"
            cat "$WORK/wrk" "$WORK/said" "$WORK/errors"
            grep -q '[1-9][0-9]* requests in' "$WORK/wrk" && ! grep -q -e 'Socket errors' -e 'Non-2xx' "$WORK/wrk" && [ "$service_status" -eq 0 ]
        }
        check "async_libuv: under load, and stopped under load" service && check "async_libuv: nothing failed" says " 0 failed; " && check "async_libuv: no warning" mute
        no_cache() { (REDIS_URL=redis://127.0.0.1:1/0 && export REDIS_URL && cd "$WORK" && "$WORK/web_cache") >"$WORK/said" 2>"$WORK/errors"; }
        check "web_cache: without Redis" no_cache && check "web_cache: without Redis: no page was wrong" says "errors: 0"
        ;;
esac

# A missing configuration is told, and ends the program with 1.
missing_file() {
    mkdir "$WORK/empty" && cd "$WORK/empty" || return 1
    "$WORK/quickstart" >"$WORK/said" 2>"$WORK/errors"
    [ $? -eq 1 ] && grep -q "integration.ini: the file cannot be opened" "$WORK/errors"
}
check "quickstart: without its configuration" missing_file

# The script, with the tools that are here, and its words where they are not.
script() { TMPDIR=$WORK sh "$ROOT/examples/run.sh" "$@" >"$WORK/said" 2>"$WORK/errors" || { cat "$WORK/said" "$WORK/errors"; return 1; }; }
check "run.sh" script
for name in quickstart threads cpp_app custom_adapter; do
    check "run.sh: heading of $name" says "==== $name ===="
    check "run.sh: runs $name" says "$ ./$name"
done
check "run.sh: prints its commands" says "quickstart.c -o quickstart -lsqlite3 -linih -lpthread"
check "run.sh: what needs servers is not run unasked" lacks "adapter_memcached|adapter_odbc|listen.c|web_cache|async_libuv|five_databases" "$WORK/said"
check "run.sh: what needs servers" script $with_servers
for name in $with_servers; do check "run.sh: runs $name" says "$ ./$name"; done
check "run.sh: prints their commands" says "adapter_memcached.c -o adapter_memcached -lmemcached -linih -lpthread"
check "run.sh: a name that is none" refuses "there is no example nope" sh "$ROOT/examples/run.sh" nope
without_tools() {
    mkdir -p "$WORK/bin" || return 1
    for tool in sh dirname mktemp rm id printf; do ln -sf "$(command -v $tool)" "$WORK/bin/$tool"; done
    PATH=$WORK/bin TMPDIR=$WORK sh "$ROOT/examples/run.sh"
}
check "run.sh: where there is no compiler and no apt" refuses "apk add gcc g++ musl-dev sqlite-dev inih-dev" without_tools
clean() { [ -z "$(find "$WORK" -maxdepth 1 -name 'dbm-examples.*')" ]; }
check "run.sh: leaves nothing behind" clean
no_litter() { tree | diff "$WORK/tree.before" -; }
check "nothing is left in the source tree" no_litter
finish
