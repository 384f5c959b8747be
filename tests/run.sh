#!/bin/sh
# Builds and runs the tests: `sh tests/run.sh` for all, `sh tests/run.sh unit asan` for some of the stages. Installs missing tools
# through apt, works in a directory of its own outside the tree, and ends with one line: N passed, N failed.
#
#   check        dbm.h is what src/ says; the tests of amalgamate.py
#   unit         every test of tests/unit, tests/integration and tests/faults: gcc, dbm.h as one file; those that wait for servers to die
#                (*_faults, *_tls) or cut answers at every byte (*_bytes, *_hostile) in asan alone, or when they are named
#   asan         all of them with clang, the rooms of src/ as separate files, under ASan and UBSan
#   tsan         the tests of pool, gates, session, manager, loop, tasks, async and threads (test_*threads*) under ThreadSanitizer, one file
#   valgrind     tests of tasks, loop, listeners and asynchronous sessions under memcheck: any error and any leak fails; gcc, one file
#   portability  tests/portability/*.sh: compilers, standards, switches, symbols, size
#   lint         cppcheck and clang-tidy on src/
#   counts       tests/bench/counts.sh: instructions, allocations and sends of single operations against their limits
#   fuzz         tests/fuzz/run.sh: a fixed number of inputs for each target, the same ones each time; it alone runs longer
#   examples     tests/examples.sh: every example builds and runs
#   readme       tests/readme.py: every piece of code in README.md is what it says
#
# After the stages, names of tests may follow: `sh tests/run.sh unit test_pool` runs those alone.
# In the environment: JOBS (how many at once; default: the processors), DBM_TEST_TIMEOUT (seconds per test, default 300),
# DBM_TEST_KEEP=1 (keep the directory), DBM_TEST_NO_INSTALL=1 (never call apt).
# A test that needs more than the usual flags says so in a line `/* cc: -Wl,--wrap=poll */`. One that needs PostgreSQL, MariaDB, Redis,
# MongoDB, PgBouncer or memcached includes "servers/test_servers.h", a script of a stage reads DBM_TEST_SERVERS: then tests/servers/all.sh
# installs and starts them before the stages, on ports and in a directory of this run, and ends them after; else they are left alone.
set -u
LC_ALL=C
export LC_ALL
STAGES="check unit asan tsan valgrind portability lint counts fuzz examples readme"
WARNINGS="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
# BACKENDS, DRIVER_CFLAGS, DRIVER_LIBS, LOOPS and LOOP_LIBS are found below, by tests/drivers.sh; a job has them from the environment.
LIBRARIES="-lcmocka -lpthread"
SANITIZERS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

# ---- one job: this script again, called by xargs as `run.sh .job KIND FILE` ----------------------------------------------------
# A job leaves $BUILD/results/NAME with two numbers, passed and failed, and what it said in $BUILD/logs/NAME.

# guarded COMMAND...: under the time limit, in a process group of its own; nothing of it survives.
guarded() {
    timeout -k 10 "${DBM_TEST_TIMEOUT:-300}" "$@" </dev/null &
    guarded_pid=$!
    : >"$BUILD/pids/$guarded_pid"
    wait "$guarded_pid"
    guarded_status=$?
    kill -KILL "-$guarded_pid" 2>/dev/null
    rm -f "$BUILD/pids/$guarded_pid"
    if [ "$guarded_status" -eq 124 ] || [ "$guarded_status" -eq 137 ]; then
        echo "*** ended by the time limit of ${DBM_TEST_TIMEOUT:-300} s, or killed"
    fi
    return "$guarded_status"
}

# cmocka_result STATUS LOG: counts what cmocka said. A program that says nothing, or dies, has failed.
cmocka_result() {
    awk -v status="$1" '
        /^\[  PASSED  \] [0-9]+ test/ { passed += $4 }
        /^\[  FAILED  \] [0-9]+ test/ { failed += $4 }
        /^\[  SKIPPED \] [0-9]+ test/ { failed += $4 }
        END {
            if (status != 0 && failed == 0) failed = 1
            if (passed + failed == 0) failed = 1
            printf "%d %d\n", passed, failed
        }' "$2"
}

# script_result STATUS LOG: counts lines `ok NAME` and `not ok NAME`; a script without such lines is one check itself.
script_result() {
    awk -v status="$1" '
        /^ok / { passed++ }
        /^not ok / { failed++ }
        END {
            if (status != 0 && failed == 0) failed = 1
            if (passed + failed == 0) passed = 1
            printf "%d %d\n", passed, failed
        }' "$2"
}

job_test() {
    form=$1 file=$2
    program=$BUILD/bin/$name
    extra=$(sed -n 's|^/\* cc: \(.*\) \*/$|\1|p' "$file")
    case $file in # a test in C++ is compiled as such, dbm.h and all
        *.cpp) gcc=g++ clang=clang++ standard=c++11 ;;
        *) gcc=gcc clang=clang standard=c11 ;;
    esac
    case $form in
        # One file is compiled anew for every test, so it holds the server backends only where they are tested.
        unit | tsan | valgrind) grep -q '^#include "servers/test_servers.h"' "$file" || BACKENDS="-DDBM_WITH_SQLITE -DDBM_WITH_INI -DDBM_WITH_ASYNC" ;;
    esac
    case $form in
        unit | valgrind) set -- $gcc -std=$standard -O1 -g $WARNINGS -I. -Itests $DRIVER_CFLAGS $BACKENDS ;;
        tsan) set -- $gcc -std=$standard -O1 -g $WARNINGS -I. -Itests $DRIVER_CFLAGS $BACKENDS -fsanitize=thread ;;
        asan) set -- $clang -std=$standard -O1 -g $WARNINGS -Isrc -I. -Itests $DRIVER_CFLAGS $BACKENDS $LOOPS -DDBM_TEST_SPLIT -DDBM__SPLIT_BUILD $SANITIZERS ;;
    esac
    library=
    if [ "$form" = asan ]; then library=$BUILD/split/libdbm.a; fi
    if ! "$@" "$file" $library $extra $DRIVER_LIBS $LOOP_LIBS $LIBRARIES -o "$program"; then
        echo "*** $file does not build"
        echo "0 1" >"$result"
        return
    fi
    DBM_TEST_TMP=$BUILD/tmp/$name
    export DBM_TEST_TMP
    mkdir "$DBM_TEST_TMP"
    before=$(date +%s)
    guarded ${TEST_RUNNER:-} "$program"
    status=$?
    echo "*** exit status $status after $(($(date +%s) - before)) s"
    cmocka_result "$status" "$log" >"$result"
    rm -rf "$DBM_TEST_TMP" "$program"
}

job_script() {
    case $1 in
        *.py) set -- python3 "$1" ;;
        fuzz_*) FUZZ_RUNS=${FUZZ_RUNS:-20000} && export FUZZ_RUNS && set -- sh tests/fuzz/run.sh "$1" ;;
        *.sh) set -- sh "$1" ;;
    esac
    DBM_TEST_TMP=$BUILD/tmp/$name
    export DBM_TEST_TMP
    mkdir "$DBM_TEST_TMP"
    before=$(date +%s)
    DBM_TEST_TIMEOUT=900 guarded "$@"
    status=$?
    echo "*** exit status $status after $(($(date +%s) - before)) s"
    script_result "$status" "$log" >"$result"
    rm -rf "$DBM_TEST_TMP"
}

job_room() {
    object=$BUILD/split/$(echo "$1" | tr / _).o
    if clang -std=c11 -O1 -g $WARNINGS -Isrc -I. $DRIVER_CFLAGS $BACKENDS $LOOPS -DDBM__SPLIT_BUILD $SANITIZERS -c "$1" -o "$object"; then
        rm -f "$result"
    else
        echo "0 1" >"$result"
    fi
}

job_tidy() {
    tidy_flags="-std=c11 -Isrc -I. $DRIVER_CFLAGS $BACKENDS $LOOPS -DDBM__SPLIT_BUILD -include tests/lint/analyzer.h"
    case $1 in src/base/*) tidy_flags="$tidy_flags -DDBM_LINT_DEFINES_THEM" ;; esac
    if guarded clang-tidy --quiet --warnings-as-errors='*' "$1" -- $tidy_flags >"$log.full" 2>&1; then
        echo "1 0" >"$result"
    else
        # The findings; the paths that lead to them (`note:`) are shown by clang-tidy itself.
        grep -E -A 1 ': (error|warning): ' "$log.full" || cat "$log.full"
        echo "clang-tidy $1 -- $tidy_flags"
        echo "0 1" >"$result"
    fi
    rm -f "$log.full"
}

job_cppcheck() {
    if guarded cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
        --suppressions-list=tests/lint/cppcheck.txt --template='{file}:{line}: {severity}: {message} [{id}]' \
        -Isrc $BACKENDS $LOOPS -DDBM__SPLIT_BUILD -D__unix__=1 -D__GNUC__=12 -D__STDC_VERSION__=201112L -U_WIN32 -U_MSC_VER -U__TINYC__ src; then
        echo "1 0" >"$result"
    else
        echo "0 1" >"$result"
    fi
}

job_amalgam() {
    if python3 amalgamate.py --check; then echo "1 0" >"$result"; else echo "0 1" >"$result"; fi
}

job_unittest() {
    guarded python3 "$1"
    status=$?
    awk -v status="$status" '
        /^Ran [0-9]+ tests?/ { ran = $2 }
        /^FAILED/ { n = split($0, part, /[^0-9]+/); for (i = 1; i <= n; i++) failed += part[i] }
        END { if (status != 0 && failed == 0) failed = 1; if (ran == 0 && failed == 0) failed = 1; printf "%d %d\n", (ran > failed ? ran - failed : 0), failed }
    ' "$log" >"$result"
}

if [ "${1:-}" = .job ]; then
    [ $# -ge 3 ] || exit 0 # xargs calls once even for nothing
    [ ! -e "$BUILD/stop" ] || exit 0
    # A signal for the whole group ends the wait for a test, and then the test; a default action would leave it behind.
    trap : HUP INT TERM
    : >"$BUILD/jobs/$$"
    trap 'rm -f "$BUILD/jobs/$$"' EXIT
    kind=$2 file=$3
    name=$STAGE-$(echo "$file" | sed 's|^tests/||; s|/|-|g; s|\.[a-z]*$||')
    if [ "$kind" = room ]; then name=$name-c; fi
    result=$BUILD/results/$name log=$BUILD/logs/$name
    echo "0 1" >"$result"
    case $kind in
        unit | asan | tsan | valgrind) job_test "$kind" "$file" ;;
        *) "job_$kind" "$file" ;;
    esac >"$log" 2>&1
    exit 0
fi

# ---- the run -----------------------------------------------------------------------------------------------------------------

fatal() {
    echo "tests/run.sh: $*" >&2
    echo "0 passed, 1 failed"
    exit 1
}

cd "$(dirname "$0")/.." || exit 1
[ -f amalgamate.py ] && [ -d src ] || fatal "the folder above tests/ is not the repository"

chosen= only=
for word in "$@"; do
    case " $STAGES " in
        *" $word "*) chosen="$chosen $word" ;;
        *)
            case $word in
                test_* | */*) only="$only $(basename "${word%.c*}")" ;;
                *) fatal "there is no stage $word; the stages are: $STAGES" ;;
            esac
            ;;
    esac
done
if [ -z "$chosen" ]; then
    if [ -n "$only" ]; then chosen=unit; else chosen=$STAGES; fi
fi
wants() {
    for wants_stage in "$@"; do
        case " $chosen " in *" $wants_stage "*) return 0 ;; esac
    done
    return 1
}

# -- tools --
packages=
# tool PACKAGE COMMAND, header PACKAGE FILE, library PACKAGE FILE: notes the package when its command, header or library is missing.
tool() {
    command -v "$2" >/dev/null 2>&1 || packages="$packages $1"
}
header() {
    [ -e "/usr/include/$2" ] || [ -e "/usr/local/include/$2" ] || packages="$packages $1"
}
library() {
    for f in /usr/lib/*/"$2" /usr/lib/"$2" /usr/local/lib/"$2"; do
        if [ -e "$f" ]; then return; fi
    done
    packages="$packages $1"
}
install_missing() {
    [ -n "$packages" ] || return 0
    if [ -n "${DBM_TEST_NO_INSTALL:-}" ] || ! command -v apt-get >/dev/null 2>&1; then
        fatal "missing, and not to be installed from here:$packages"
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || fatal "missing; run this as root: apt-get install$packages"
        as_root="sudo -n"
    fi
    echo "installing:$packages"
    apt_log=$BUILD/apt.log
    apt_install() {
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $packages </dev/null >"$apt_log" 2>&1
    }
    apt_install || {
        $as_root apt-get update </dev/null >"$apt_log.update" 2>&1
        apt_install
    } || {
        tail -n 20 "$apt_log"
        fatal "apt-get could not install:$packages"
    }
    packages=
}

# The directory comes first, so that everything has a place to write to; it and all processes go at the end, however that comes.
BUILD=$(mktemp -d "${TMPDIR:-/tmp}/dbm-tests.XXXXXX") || exit 1
export BUILD
stage_pid=
still_running() {
    if [ -n "$stage_pid" ] && kill -0 "$stage_pid" 2>/dev/null; then return 0; fi
    for f in "$BUILD"/jobs/*; do
        if [ -f "$f" ] && kill -0 "${f##*/}" 2>/dev/null; then return 0; fi
    done
    return 1
}
clean_up() {
    trap - EXIT HUP INT TERM
    # Jobs that have not begun see this file and end; those that run lose their test, until the stage itself is through.
    : >"$BUILD/stop"
    rounds=0
    while
        for f in "$BUILD"/pids/*; do
            if [ -f "$f" ]; then kill -KILL "-${f##*/}" 2>/dev/null; fi
        done
        still_running && [ "$rounds" -lt 100 ]
    do
        rounds=$((rounds + 1))
        sleep 0.2 2>/dev/null || sleep 1
    done
    if [ -d "$BUILD/servers" ]; then
        trap '' HUP INT TERM
        if [ -n "${DBM_TEST_KEEP:-}" ]; then mkdir "$BUILD/servers.logs" && cp "$BUILD"/servers/*.log "$BUILD/servers.logs"; fi
        sh tests/servers/all.sh stop "$BUILD/servers"
    fi
    if [ -n "${DBM_TEST_KEEP:-}" ]; then
        echo "kept: $BUILD"
    else
        rm -rf "$BUILD" 2>/dev/null || { sleep 1; rm -rf "$BUILD"; }
    fi
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$BUILD/bin" "$BUILD/jobs" "$BUILD/logs" "$BUILD/pids" "$BUILD/results" "$BUILD/split" "$BUILD/tmp"

tool python3 python3
tool gcc gcc
header libc6-dev stdio.h
. tests/drivers.sh
driver_packages . tool header
if wants unit asan tsan valgrind; then header libcmocka-dev cmocka.h; fi
if wants asan portability lint fuzz; then tool clang clang; fi
if wants asan; then tool binutils ar; fi
if wants portability check unit tsan valgrind; then tool g++ g++; tool binutils nm; fi
if wants portability; then
    tool tcc tcc
    tool musl-tools musl-gcc
    tool gcc-mingw-w64-x86-64-win32 x86_64-w64-mingw32-gcc
    header libgdbm-compat-dev ndbm.h
    header libgdbm-dev gdbm.h
fi
# What an example or a test of a user's own adapter is built with.
includes() { grep -r -q --include='*.[ch]*' "^#include <$1>" examples tests; }
if includes libmemcached/memcached.h; then header libmemcached-dev libmemcached/memcached.h; fi
if includes sql.h; then
    header unixodbc-dev sql.h
    library odbc-postgresql odbc/psqlodbcw.so
    library libsqliteodbc odbc/libsqlite3odbc.so
fi
if wants lint; then tool cppcheck cppcheck; tool clang-tidy clang-tidy; fi
if wants examples; then tool wrk wrk; fi
if wants counts valgrind; then tool valgrind valgrind; fi
if wants counts; then tool binutils nm; fi
install_missing
# The sanitizers' library is a package of its own, of the same version as clang.
if wants asan portability fuzz; then
    runtime=$(find "$(clang -print-resource-dir)" /usr/lib/llvm-* -name 'libclang_rt.asan*.a' 2>/dev/null | head -n 1)
    if [ -z "$runtime" ]; then
        packages="libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev"
        install_missing
    fi
fi
find_drivers .
export BACKENDS DRIVER_CFLAGS DRIVER_LIBS LOOPS LOOP_LIBS

JOBS=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)}
ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1:exitcode=66
export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS

# GCC's ThreadSanitizer does not start where addresses are spread too widely; then the spreading is switched off for it.
find_tsan_runner() {
    TEST_RUNNER=
    printf 'int main(void) { return 0; }\n' >"$BUILD/bin/probe.c"
    gcc -fsanitize=thread "$BUILD/bin/probe.c" -o "$BUILD/bin/probe" 2>/dev/null || return
    if ! "$BUILD/bin/probe" >/dev/null 2>&1 && setarch "$(uname -m)" -R "$BUILD/bin/probe" >/dev/null 2>&1; then
        TEST_RUNNER="setarch $(uname -m) -R"
    fi
    export TEST_RUNNER
}

# The test files of a stage, the chosen ones when names were given.
tests_of() {
    # The longest first, so that none of them is alone at the end.
    for f in tests/integration/test_*.c tests/integration/test_*.cpp tests/faults/test_*.c tests/unit/test_*.c; do
        [ -f "$f" ] || continue
        base=$(basename "${f%.*}")
        if [ "$1" = tsan ]; then
            case $base in test_no_threads* | *_bytes) continue ;; test_pool* | test_gate* | test_session* | test_manager* | test_loop* | test_task* | test_async* | test_*threads*) ;; *) continue ;; esac
        fi
        if [ "$1" = valgrind ] && [ -z "$only" ]; then
            case $base in test_task | test_loop | test_listen | test_async | test_async_faults | test_async_backends | test_async_random) ;; *) continue ;; esac
        fi
        if [ -n "$only" ]; then
            case " $only " in *" $base "*) ;; *) continue ;; esac
        elif [ "$1" = unit ]; then
            case $f in tests/integration/*_faults.c | tests/integration/*_tls.c | tests/integration/*_bytes.c | tests/integration/*_hostile.c) continue ;; esac
        fi
        echo "$f"
    done
}

# each KIND: runs a job for every line of the standard input, JOBS at once. run.sh finds the rest in the environment.
each() {
    STAGE=$stage
    export STAGE
    xargs -P "$JOBS" -n 1 sh tests/run.sh .job "$1"
}

stage_check() {
    echo amalgamate.py | each amalgam
    for f in tests/unit/test_*.py; do [ -f "$f" ] && echo "$f"; done | each unittest
}
stage_unit() { tests_of unit | each unit; }
stage_tsan() {
    find_tsan_runner
    tests_of tsan | each tsan
}
# Fewer schedules than elsewhere: it takes twenty times as long.
stage_valgrind() {
    TEST_RUNNER="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect --num-callers=30"
    DBM_TEST_SCHEDULES=300
    export TEST_RUNNER DBM_TEST_SCHEDULES
    tests_of valgrind | each valgrind
}
stage_asan() {
    find src -name '*.c' | sort | each room
    ar rcs "$BUILD/split/libdbm.a" "$BUILD"/split/*.o 2>/dev/null
    tests_of asan | each asan
    rm -rf "$BUILD/split"
    mkdir "$BUILD/split"
}
stage_portability() { for f in tests/portability/*.sh; do [ -f "$f" ] && echo "$f"; done | each script; }
stage_lint() {
    { echo src | each cppcheck; } &
    cppcheck_pid=$!
    find src -name '*.c' | sort | each tidy
    wait "$cppcheck_pid"
}
# Stages of a script or two: those that are chosen run side by side, when the first one's turn has come, since none of them keeps all processors busy.
SIDE="counts fuzz examples readme"
side_scripts() {
    if wants readme; then echo readme tests/readme.py; fi
    if wants examples; then echo examples tests/examples.sh; fi
    if wants counts; then echo counts tests/bench/counts.sh; fi
    if wants fuzz; then for f in tests/fuzz/fuzz_*.c; do echo fuzz "$(basename "$f" .c)"; done; fi
}
stage_side() { side_scripts | xargs -P "$JOBS" -n 2 sh -c 'STAGE=$0 exec sh tests/run.sh .job script "$1"'; }

# needs_servers STAGE: true when a test of it, a chosen one where names were given, wants the servers.
needs_servers() {
    case $1 in
        unit | asan | tsan | valgrind) tests_of "$1" | xargs grep -l '^#include "servers/test_servers.h"' /dev/null ;;
        portability) grep -l DBM_TEST_SERVERS tests/portability/*.sh ;;
        examples) grep -l DBM_TEST_SERVERS tests/examples.sh ;;
        counts) grep -l DBM_TEST_SERVERS tests/bench/counts.sh ;;
        readme) grep -l DBM_TEST_SERVERS tests/readme.py ;;
    esac | grep -q .
}

start_servers() {
    # A signal for the whole group must not part the run from servers that are just being started; all.sh hears it too, and ends them.
    trap : HUP INT TERM
    sh tests/servers/all.sh install && sh tests/servers/all.sh start "$BUILD/servers"
}

for stage in $chosen; do
    if needs_servers "$stage"; then
        # They run as users of their own, who have to come through; nobody can list what is in it.
        chmod a+x "$BUILD"
        start_servers &
        stage_pid=$!
        wait "$stage_pid" || fatal "the servers for the tests did not start"
        stage_pid=
        . "$BUILD/servers/env"
        break
    fi
done

passed=0 failed=0 side_started=
for stage in $chosen; do
    started=$(date +%s) work=stage_$stage
    case " $SIDE " in *" $stage "*) work=stage_side ;; esac
    if [ "$work" = stage_side ] && [ -n "$side_started" ]; then
        started=$side_started
    else
        if [ "$work" = stage_side ]; then side_started=$started; fi
        # In the background, because a shell that waits in the foreground does not hear that it shall stop.
        "$work" &
        stage_pid=$!
        wait "$stage_pid"
        stage_pid=
        ended=$(date +%s)
    fi
    stage_passed=0 stage_failed=0
    for result in "$BUILD/results/$stage"-*; do
        [ -f "$result" ] || continue
        read -r p f <"$result"
        stage_passed=$((stage_passed + p)) stage_failed=$((stage_failed + f))
        if [ "$f" -ne 0 ]; then
            echo "---- ${result##*/} ----"
            log=$BUILD/logs/${result##*/}
            # Of check scripts the failures alone are of interest; of everything else the end.
            if grep -q '^not ok ' "$log"; then
                awk '/^ok / { show = 0 } /^not ok / { show = 1 } show' "$log" | head -n 200
            else
                tail -n 200 "$log"
            fi
        fi
    done
    passed=$((passed + stage_passed)) failed=$((failed + stage_failed))
    printf '%-12s %5d passed %5d failed %5d s\n' "$stage" "$stage_passed" "$stage_failed" "$((ended - started))"
done
if [ "$((passed + failed))" -eq 0 ]; then failed=1; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
