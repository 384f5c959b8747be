/* What the system headers must be asked for, before the first of them is included.
 * May call: nothing.
 * Must not know: anything else. */
#if defined(DBM_IMPLEMENTATION) || defined(DBM__SPLIT_BUILD)
#  if defined(__unix__) || defined(__unix) || defined(__HAIKU__)
#    if defined(__GLIBC__) && !defined(__USE_POSIX199309)
#      error "dbm: a system header came before dbm.h in the file with DBM_IMPLEMENTATION. Give that its own file, with dbm.h first, or add -D_XOPEN_SOURCE=700"
#    endif
#    if !defined(_GNU_SOURCE) && !defined(_DEFAULT_SOURCE) && !defined(__FreeBSD__) && !defined(__NetBSD__)
#      if !defined(_POSIX_C_SOURCE)
#        define _POSIX_C_SOURCE 200809L
#      endif
#      if !defined(_XOPEN_SOURCE)
#        define _XOPEN_SOURCE 700
#      endif
#    endif
#  endif
#endif
