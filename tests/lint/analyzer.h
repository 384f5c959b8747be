/* Included before each room when clang-tidy reads it: tells the analyzer what it can't see from one file, namely that reporting a
 * failure returns that failure, and that what is asserted is so. Without this it follows paths on which dbm__fail(DBM_E_MISUSE, ...) gives DBM_OK. */
#ifndef DBM_LINT_ANALYZER_H
#define DBM_LINT_ANALYZER_H
#define DBM_ASSERT(condition) do { if (!(condition)) __builtin_unreachable(); } while (0)
#include "base/base.h"
#if !defined(DBM_LINT_DEFINES_THEM)
#define dbm__fail(status, ...) ((void)dbm__fail(status, __VA_ARGS__), (status))
#define dbm__no_memory(...) ((void)dbm__no_memory(__VA_ARGS__), DBM_E_NOMEM)
#endif
#endif
