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
# In the environment: JOBS (how many at once; default: the processors and one, since many jobs wait), DBM_TEST_TIMEOUT (seconds per test, default 300),
# DBM_TEST_KEEP=1 (keep the directory), DBM_TEST_NO_INSTALL=1 (never call apt), DBM_TEST_TIMES=FILE (a line for each job is added: its name,
# when it began and ended, in seconds of /proc/uptime, and the processor time, user and system, of its build and of all of it).
# The stages are not run one after the other: the jobs of all of them stand in one queue, so that every processor has work until the end, and
# a stage is told of when its last job is through.
# In a test's source, each in a line of its own:
#   /* cc: -Wl,--wrap=poll */      it needs more than the usual flags; with a -D the implementation has to be in its own file
#   #define DBM_TEST_WHOLE         (before dbm_test.h) it has the implementation in its own file, and so reaches what is static in it; the
#                                  others are linked with an object that is made once: dbm.h as one file, its internal functions not static
#   /* alone: WORD... */           it never runs beside another that says the same word (in a script: # alone: WORD...)
# One that needs PostgreSQL, MariaDB, Redis, MongoDB, PgBouncer or memcached includes "servers/test_servers.h", a script of a stage reads
# DBM_TEST_SERVERS: then tests/servers/all.sh installs and starts them, on ports and in a directory of this run, and ends them after; else
# they are left alone.
set -u
LC_ALL=C
export LC_ALL
STAGES="check unit asan tsan valgrind portability lint counts fuzz examples readme"
WARNINGS="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror"
# BACKENDS, DRIVER_CFLAGS, DRIVER_LIBS, LOOPS and LOOP_LIBS are found below, by tests/drivers.sh; a job has them from the environment.
LIBRARIES="-lcmocka -lpthread"
SANITIZERS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

# ---- one job: this script again, called as `run.sh .job NAME STAGE KIND FILE` --------------------------------------------------
# A job leaves $BUILD/results/NAME with two numbers, passed and failed, and what it said in $BUILD/logs/NAME.

# guarded COMMAND...: under the time limit, or $limit, in a process group of its own; nothing of it survives.
guarded() {
    timeout -k 10 "${limit:-${DBM_TEST_TIMEOUT:-300}}" "$@" </dev/null &
    guarded_pid=$!
    : >"$BUILD/pids/$guarded_pid"
    wait "$guarded_pid"
    guarded_status=$?
    kill -KILL "-$guarded_pid" 2>/dev/null
    rm -f "$BUILD/pids/$guarded_pid"
    if [ "$guarded_status" -eq 124 ] || [ "$guarded_status" -eq 137 ]; then
        echo "*** ended by the time limit of ${limit:-${DBM_TEST_TIMEOUT:-300}} s, or killed"
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

# says WHAT FILE: whether the source says this of itself.
says_whole() { grep -q -e '^# *define DBM_TEST_WHOLE$' -e '^/\* cc: .*-D' "$1"; }
says_servers() { grep -q '^#include "servers/test_servers.h"' "$1"; }

# library_of STAGE FILE: what a test is built with, as FORM-LANGUAGE-SET. A test in C++ is compiled as such, dbm.h and all. The set is small where no
# server is needed, so that a library with few backends is tested too; else all.
library_of() {
    case $1 in
        asan) echo asan-c-all && return ;;
        tsan) library_form=tsan ;;
        *) library_form=gcc ;; # two stages, one library
    esac
    case $2 in *.cpp) library_form=$library_form-cpp ;; *) library_form=$library_form-c ;; esac
    if says_servers "$2"; then echo "$library_form-all"; else echo "$library_form-small"; fi
}

# form FORM-LANGUAGE-SET: sets $compile, and $library, a file.
form() {
    library=$BUILD/lib/$1.a
    case $1 in
        gcc-c-*) compile="gcc -std=c11 -O1 -g" ;;
        gcc-cpp-*) compile="g++ -std=c++11 -O1 -g" ;;
        tsan-c-*) compile="gcc -std=c11 -O1 -g -fsanitize=thread" ;;
        tsan-cpp-*) compile="g++ -std=c++11 -O1 -g -fsanitize=thread" ;;
        asan-c-all) compile="clang -std=c11 -g $SANITIZERS $LOOPS" ;;
        asan-cpp-all) compile="clang++ -std=c++11 -g $SANITIZERS $LOOPS" ;;
    esac
    case $1 in
        *-small) compile="$compile -DDBM_WITH_SQLITE -DDBM_WITH_INI -DDBM_WITH_ASYNC" ;;
        *) compile="$compile $BACKENDS" ;;
    esac
    compile="$compile $WARNINGS $DRIVER_CFLAGS"
}

job_test() {
    program=$BUILD/bin/$name
    extra=$(sed -n 's|^/\* cc: \(.*\) \*/$|\1|p' "$2")
    form "$(library_of "$1" "$2")"
    if [ "$1" = asan ]; then
        # The rooms are optimised, the tests not: of a build that is most of the time. Those in C++ use the library in C.
        needed=$library
        case $2 in *.cpp) form asan-cpp-all ;; esac
        library=$needed compile="$compile -Isrc -I. -Itests -DDBM_TEST_SPLIT -DDBM__SPLIT_BUILD"
    elif says_whole "$2"; then
        library= compile="$compile -I. -Itests"
    else
        compile="$compile -I. -Isrc -Itests -DDBM_TEST_LINKED -DDBM__SPLIT_BUILD"
    fi
    if [ -n "$library" ] && [ ! -f "$library" ]; then
        echo "*** what it is linked with was not built: $(basename "$library" .a)"
        return
    fi
    limit=900
    if ! guarded $compile "$2" $library $extra $DRIVER_LIBS $LOOP_LIBS $LIBRARIES -o "$program"; then
        echo "*** $2 does not build"
        return
    fi
    limit=
    times >"$result.built"
    DBM_TEST_TMP=$BUILD/tmp/$name
    export DBM_TEST_TMP
    mkdir "$DBM_TEST_TMP"
    TEST_RUNNER=
    case $1 in
        tsan) find_tsan_runner ;;
        valgrind) # Fewer schedules than elsewhere: it takes twenty times as long. libmariadb has stacks of its own: what moves the stack pointer by more
            # than 32 KB is such a one, or else a thread's own data would be taken for a stack that was left. Threads take turns: by itself one that
            # computes keeps the others waiting for seconds.
            TEST_RUNNER="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect --num-callers=30"
            TEST_RUNNER="$TEST_RUNNER --max-stackframe=32768 --fair-sched=try"
            DBM_TEST_SCHEDULES=300
            export DBM_TEST_SCHEDULES
            ;;
    esac
    before=$(date +%s)
    guarded $TEST_RUNNER "$program"
    status=$?
    echo "*** exit status $status after $(($(date +%s) - before)) s"
    cmocka_result "$status" "$log" >"$result"
    rm -rf "$DBM_TEST_TMP" "$program"
}

# GCC's ThreadSanitizer does not start where addresses are spread too widely; then the spreading is switched off for it.
find_tsan_runner() {
    TEST_RUNNER=
    probe=$DBM_TEST_TMP/probe
    printf 'int main(void) { return 0; }\n' >"$probe.c"
    gcc -fsanitize=thread "$probe.c" -o "$probe" 2>/dev/null || return
    if ! "$probe" >/dev/null 2>&1 && setarch "$(uname -m)" -R "$probe" >/dev/null 2>&1; then
        TEST_RUNNER="setarch $(uname -m) -R"
    fi
    rm -f "$probe" "$probe.c"
}

# A library, FORM-LANGUAGE-SET. It is no test, so it counts only when it fails.
job_library() {
    limit=900
    form "$1"
    objects=$BUILD/lib/$1
    mkdir "$objects"
    if [ "$1" = asan-c-all ]; then
        compile="$compile -O1 -Isrc -I. -DDBM__SPLIT_BUILD"
        export compile objects
        find src -name '*.c' | sort >"$objects/rooms"
        guarded xargs -a "$objects/rooms" -P "$JOBS" -n 1 sh -c '$compile -c "$0" -o "$objects/$(echo "$0" | tr / _).o"' || return
    else
        case $1 in *-cpp-*) source=$objects/dbm.cpp ;; *) source=$objects/dbm.c ;; esac
        printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$source"
        guarded $compile -I. -DDBM__SPLIT_BUILD -c "$source" -o "$objects/dbm.o" || return
    fi
    ar rcs "$objects/lib.a" "$objects"/*.o && mv "$objects/lib.a" "$library" && rm -rf "$objects" "$result"
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
    limit=900
    guarded "$@"
    status=$?
    echo "*** exit status $status after $(($(date +%s) - before)) s"
    script_result "$status" "$log" >"$result"
    rm -rf "$DBM_TEST_TMP"
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
    [ ! -e "$BUILD/stop" ] || exit 0
    # A signal for the whole group ends the wait for a test, and then the test; a default action would leave it behind.
    trap : HUP INT TERM
    : >"$BUILD/jobs/$$"
    trap 'rm -f "$BUILD/jobs/$$"' EXIT
    name=$2 stage=$3 kind=$4 file=$5
    result=$BUILD/results/$name log=$BUILD/logs/$name
    echo "0 1" >"$result"
    read -r began _ </proc/uptime
    if [ -f "$BUILD/servers/env" ]; then . "$BUILD/servers/env"; fi
    # What compilers leave that are killed goes with the rest.
    TMPDIR=$BUILD/tmp limit=
    export TMPDIR
    case $kind in
        test) job_test "$stage" "$file" ;;
        *) "job_$kind" "$file" ;;
    esac >"$log" 2>&1
    if [ -n "${DBM_TEST_TIMES:-}" ]; then
        read -r ended _ </proc/uptime
        times >"$result.times"
        built='0 0'
        if [ -f "$result.built" ]; then built=$(tail -n 1 "$result.built"); fi
        echo "$name $began $ended $built $(tail -n 1 "$result.times")" >>"$DBM_TEST_TIMES"
    fi
    rm -f "$result.times" "$result.built"
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
workers= begin_pid=
still_running() {
    for pid in $workers $begin_pid; do
        if kill -0 "$pid" 2>/dev/null; then return 0; fi
    done
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
for directory in bin held jobs lib logs over pids ready results tmp; do mkdir "$BUILD/$directory"; done

# What the first jobs want is installed before them.
tool python3 python3
tool gcc gcc
header libc6-dev stdio.h
. tests/drivers.sh
driver_packages . tool header
if wants unit asan tsan valgrind; then header libcmocka-dev cmocka.h; tool binutils ar; fi
if wants portability check unit tsan valgrind; then tool g++ g++; tool binutils nm; fi
install_missing
find_drivers .
export BACKENDS DRIVER_CFLAGS DRIVER_LIBS LOOPS LOOP_LIBS

# The rest, beside them: what wants it waits for $BUILD/ready/tools.
install_tools() {
    if wants asan portability lint fuzz readme examples; then tool clang clang; fi
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
    : >"$BUILD/ready/tools"
}

JOBS=${JOBS:-$(($(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1))}
ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1:exitcode=66
export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS JOBS

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

# ---- the queue: a line for each job, NAME STAGE KIND FILE NEEDS ALONE... --------------------------------------------------------
# NEEDS are names of files in $BUILD/ready that must be there first, with commas; ALONE are words that no two jobs have at the same time. What there is
# none of is a -.

script_needs() { if grep -q DBM_TEST_SERVERS "$1"; then echo tools,servers; else echo tools; fi; }
alone_of() { sed -n -E 's,^(/\*|#) alone: ([a-z ]*[a-z]).*,\2,p' "$1"; }

queue_tests() { # STAGE
    tests_of "$1" | while IFS= read -r f; do
        needs=$(library_of "$1" "$f")
        if [ "$1" != asan ] && says_whole "$f"; then needs=-; fi
        if [ "$1" = valgrind ]; then needs=$needs,tools; fi
        if says_servers "$f"; then needs=$needs,servers; fi
        # A test is not run in two stages at a time either: many have the server to themselves.
        echo "$1 test $f $needs =$(basename "${f%.*}") $(alone_of "$f")"
    done
}
# all_jobs: without their names. Libraries come first: others wait for them. Then what is long and has one processor only, then the tests, and at the
# end many short jobs, so that no processor is without work before the others are.
all_jobs() {
    for stage in unit valgrind asan tsan; do
        if wants "$stage"; then queue_tests "$stage"; fi
    done >"$BUILD/tests"
    awk '{
        split($4, need, ",")
        library = need[1]
        if (library != "-" && !(library in seen)) print $1, "library", library, (library ~ /^asan/ ? "tools" : "-"), "-"
        seen[library] = 1
    }' "$BUILD/tests"
    if wants counts; then echo "counts script tests/bench/counts.sh $(script_needs tests/bench/counts.sh) -"; fi
    if wants fuzz; then for f in tests/fuzz/fuzz_*.c; do echo "fuzz script $(basename "$f" .c) tools -"; done; fi
    if wants examples; then echo "examples script tests/examples.sh $(script_needs tests/examples.sh) $(alone_of tests/examples.sh)"; fi
    if wants readme; then echo "readme script tests/readme.py $(script_needs tests/readme.py) -"; fi
    if wants portability; then for f in tests/portability/*.sh; do echo "portability script $f $(script_needs "$f") -"; done; fi
    if wants lint; then echo "lint cppcheck src tools -"; fi
    if wants check; then
        echo "check amalgam amalgamate.py - -"
        for f in tests/unit/test_*.py; do if [ -f "$f" ]; then echo "check unittest $f - -"; fi; done
    fi
    cat "$BUILD/tests"
    if wants lint; then find src -name '*.c' | sort | sed 's/.*/lint tidy & tools -/'; fi
}

# The name is the stage and the file.
queue() {
    all_jobs | while read -r line; do
        name=${line#* * }
        name=${name%% *}
        name=${name#tests/}
        echo "${line%% *}-$(echo "${name%.*}" | tr / -) $line"
    done
}

nap() { sleep 0.2 2>/dev/null || sleep 1; }

# may NEEDS ALONE...: whether a job can begin now.
may() {
    IFS=,
    for word in $1; do
        if [ "$word" != - ] && [ ! -e "$BUILD/ready/$word" ]; then
            unset IFS
            return 1
        fi
    done
    unset IFS
    shift
    for word in "$@"; do
        if [ "$word" != - ] && [ -e "$BUILD/held/$word" ]; then return 1; fi
    done
}

# take: takes the first job of the queue that may begin: sets job_name, job_stage, job_kind, job_file and job_alone. False: none is left.
take() {
    while [ ! -e "$BUILD/stop" ]; do
        until mkdir "$BUILD/lock" 2>/dev/null; do
            if [ -e "$BUILD/stop" ]; then return 1; fi
            nap
        done
        number=0 taken=
        while read -r job_name job_stage job_kind job_file job_needs job_alone; do
            number=$((number + 1))
            if may "$job_needs" $job_alone; then
                taken=1
                break
            fi
        done <"$BUILD/queue"
        if [ -n "$taken" ]; then
            sed "${number}d" "$BUILD/queue" >"$BUILD/queue.new" && mv "$BUILD/queue.new" "$BUILD/queue"
            for word in $job_alone; do : >"$BUILD/held/$word"; done
        fi
        rmdir "$BUILD/lock"
        if [ -n "$taken" ]; then return 0; fi
        if [ "$number" -eq 0 ]; then return 1; fi
        nap
    done
    return 1
}

worker() {
    while take; do
        began=$(date +%s)
        sh tests/run.sh .job "$job_name" "$job_stage" "$job_kind" "$job_file" </dev/null
        if [ "$job_kind" = library ]; then : >"$BUILD/ready/$job_file"; fi
        for word in $job_alone; do rm -f "$BUILD/held/$word"; done
        echo "$began $(date +%s)" >"$BUILD/over/$job_name"
    done
}

queue >"$BUILD/queue"
cp "$BUILD/queue" "$BUILD/todo"

# What has to be there, made beside the first jobs.
begin() {
    install_tools
    grep -q ',servers ' "$BUILD/todo" || exit 0
    # They run as users of their own, who have to come through; nobody can list what is in it.
    chmod a+x "$BUILD"
    # A signal for the whole group must not part the run from servers that are just being started; all.sh hears it too, and ends them.
    trap : HUP INT TERM
    sh tests/servers/all.sh install && sh tests/servers/all.sh start "$BUILD/servers" || fatal "the servers for the tests did not start"
    : >"$BUILD/ready/servers"
}
begin &
begin_pid=$!
for number in $(seq "$JOBS"); do
    worker &
    workers="$workers $!"
done
wait "$begin_pid" || exit 1
begin_pid=

# is_over STAGE: all its jobs are through. A job that nobody is left to run has failed.
is_over() {
    while read -r is_name is_stage _; do
        if [ "$is_stage" != "$1" ] || [ -e "$BUILD/over/$is_name" ]; then continue; fi
        if still_running; then return 1; fi
        echo "*** it did not run to its end" >>"$BUILD/logs/$is_name"
        echo "0 1" >"$BUILD/results/$is_name"
    done <"$BUILD/todo"
}

passed=0 failed=0
for stage in $chosen; do
    until is_over "$stage"; do sleep 1; done
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
    printf '%-12s %5d passed %5d failed %5d s\n' "$stage" "$stage_passed" "$stage_failed" "$(cat "$BUILD/over/$stage"-* 2>/dev/null | awk '
        NR == 1 || $1 < first { first = $1 } $2 > last { last = $2 } END { print last - first }')"
done
if [ "$((passed + failed))" -eq 0 ]; then failed=1; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
