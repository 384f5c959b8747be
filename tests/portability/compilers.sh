#!/bin/sh
# The other compilers: tcc, musl's gcc, mingw-w64, and arm-none-eabi-gcc where it is installed.
. "$(dirname "$0")/../lib.sh"

printf '#include "dbm.h"\nint main(void) { return dbm_compiled_with("sqlite") ? 0 : 1; }\n' >"$WORK/main.c"
printf '#define DBM_IMPLEMENTATION\n#include "dbm.h"\n' >"$WORK/implementation.c"
cat >"$WORK/manager.c" <<'EOF'
#include "dbm.h"
int main(void) {
    dbm_manager *mgr = NULL;
    dbm_status rc = dbm_manager_create(&mgr, NULL);
    if (rc != DBM_OK) return 1;
    if (dbm_get(mgr, "nobody") != NULL) return 2;
    if (dbm_last_error()->status != DBM_E_UNKNOWN_NAME) return 3;
    dbm_manager_free(mgr);
    return 0;
}
EOF

TCC_DRIVERS=$(echo "$DRIVER_CFLAGS" | sed 's/-isystem */-I/g')
# tcc ignores the cleanup attribute and has no atomics: no threads, no cleanup blocks.
check "tcc: implementation" tcc -Wall -Werror -I"$HEADERS" -c "$WORK/implementation.c" -o "$WORK/tcc_plain.o"
check "tcc: implementation with all backends" tcc -Wall -Werror -I"$HEADERS" $TCC_DRIVERS -DDBM_WITH_ALL -c "$WORK/implementation.c" -o "$WORK/tcc.o"
check "tcc: implementation with async" tcc -Wall -Werror -I"$HEADERS" -DDBM_WITH_ASYNC -c "$WORK/implementation.c" -o "$WORK/tcc_async.o"
check "tcc: a program" tcc -Wall -Werror -I"$HEADERS" "$WORK/main.c" "$WORK/tcc.o" $DRIVER_LIBS -o "$WORK/tcc_program"
check "tcc: it runs" "$WORK/tcc_program"
check "tcc: a program with a manager" tcc -Wall -Werror -I"$HEADERS" "$WORK/manager.c" "$WORK/tcc_plain.o" -o "$WORK/tcc_program"
check "tcc: it runs" "$WORK/tcc_program"

check "musl: implementation" musl-gcc -std=c11 $WARNINGS -iquote "$HEADERS" -c "$WORK/implementation.c" -o "$WORK/musl.o"
check "musl: implementation with async" musl-gcc -std=c11 $WARNINGS -iquote "$HEADERS" -DDBM_WITH_ASYNC -c "$WORK/implementation.c" -o "$WORK/musl.o"
check "musl: a static program" musl-gcc -static -std=c11 $WARNINGS -iquote "$HEADERS" "$WORK/manager.c" "$WORK/musl.o" -o "$WORK/musl_program"
check "musl: it runs" "$WORK/musl_program"

MINGW=x86_64-w64-mingw32-gcc
check "mingw: declarations" $MINGW -std=c11 $WARNINGS -iquote "$HEADERS" -c "$WORK/main.c" -o "$WORK/mingw_main.o"
check "mingw: implementation" $MINGW -std=c11 $WARNINGS -iquote "$HEADERS" -c "$WORK/implementation.c" -o "$WORK/mingw.o"
check "mingw: implementation, C99" $MINGW -std=c99 $WARNINGS -iquote "$HEADERS" -c "$WORK/implementation.c" -o "$WORK/mingw.o"
check "mingw: implementation with async" $MINGW -std=c11 $WARNINGS -iquote "$HEADERS" -DDBM_WITH_ASYNC -c "$WORK/implementation.c" -o "$WORK/mingw.o"
check "mingw: a program with async is linked" $MINGW -std=c11 $WARNINGS -iquote "$HEADERS" "$WORK/manager.c" "$WORK/mingw.o" -lws2_32 -o "$WORK/mingw.exe"
check "mingw: implementation with async, without threads" $MINGW -std=c99 $WARNINGS -iquote "$HEADERS" -DDBM_WITH_ASYNC -DDBM_NO_THREADS -c "$WORK/implementation.c" -o "$WORK/mingw.o"
check "mingw: implementation without threads" $MINGW -std=c11 $WARNINGS -iquote "$HEADERS" -DDBM_NO_THREADS -c "$WORK/implementation.c" -o "$WORK/mingw.o"
printf '#include <windows.h>\n#include "dbm.h"\nint main(void) { return 0; }\n' >"$WORK/windows.c"
check "mingw: behind windows.h" $MINGW -std=c11 $WARNINGS -iquote "$HEADERS" -c "$WORK/windows.c" -o "$WORK/mingw_main.o"

# A device without an operating system; the compiler is too big to be asked for.
if has arm-none-eabi-gcc; then
    for cpu in cortex-m0 cortex-m3 cortex-m4; do
        check "$cpu: implementation" arm-none-eabi-gcc -mcpu=$cpu -mthumb -Os -std=c99 $WARNINGS -iquote "$HEADERS" -DDBM_NO_STDIO -DDBM_NO_ENV \
            -DDBM_CLOCK_US=my_clock_us -include "$ROOT/tests/portability/device.h" -c "$WORK/implementation.c" -o "$WORK/arm.o"
        check "$cpu: implementation with async" arm-none-eabi-gcc -mcpu=$cpu -mthumb -Os -std=c99 $WARNINGS -iquote "$HEADERS" -DDBM_NO_STDIO -DDBM_NO_ENV \
            -DDBM_WITH_ASYNC -DDBM_CLOCK_US=my_clock_us -include "$ROOT/tests/portability/device.h" -c "$WORK/implementation.c" -o "$WORK/arm.o"
    done
    check "cortex-m3: all that leave out" arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -Os -std=c99 $WARNINGS -iquote "$HEADERS" -DDBM_NO_STDIO \
        -DDBM_NO_ENV -DDBM_NO_FLOAT -DDBM_NO_LOG_TEXT -DDBM_CLOCK_US=my_clock_us -include "$ROOT/tests/portability/device.h" \
        -c "$WORK/implementation.c" -o "$WORK/arm.o"
    no_threads() {
        arm-none-eabi-nm -u "$WORK/arm.o" | awk '{ print $NF }' >"$WORK/needed" &&
            lacks '^(__atomic|__sync|__aeabi_read_tp|__emutls|pthread_)' "$WORK/needed"
    }
    check "cortex-m3: no thread-locals and no atomics" no_threads
fi
finish
