#!/usr/bin/env python3
"""Tests of amalgamate.py on small trees that each test makes for itself."""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)
sys.dont_write_bytecode = True
import amalgamate  # noqa: E402

MANIFEST = """\
#include "api/manual.h"
#include "api/api.h"
#if defined(DBM_IMPLEMENTATION) && !defined(DBM__IMPLEMENTED)
#define DBM__IMPLEMENTED
#include "base/base.h"
#include "base/error.c"
#include "adapters/redis.c"
#include "adapters/sqlite.c"
#include "manager/manager.c"
#endif
"""
MANUAL = """\
/* dbm.h 0.1.0: all databases of a program; public domain or MIT.
 * GENERATED from src/, content hash @DBM_CONTENT_HASH@
 *     #include "dbm.h"
 * Options: DBM_IMPLEMENTATION DBM_WITH_SQLITE DBM_WITH_REDIS DBM_NO_THREADS DBM_ASSERT DBM_PREFIX */
"""
API = """\
#ifndef DBM_DATABASE_MANAGER_H
#define DBM_DATABASE_MANAGER_H
#include "options.h"
#include "prefix.h"
DBM_API int dbm_commit(
    int s);
DBM_API const char *dbm_name(void); /* DBM_API int dbm_in_a_comment(void); */
#define dbm_exec(s) dbm__exec(s, "here")
DBM_API int dbm__exec(int s, const char *site);
DBM_API int dbm_both(int s);
#define dbm_both(s) dbm_both(s)
#endif
"""
OPTIONS = """\
#if defined(DBM_CONFIG_FILE_OF_TESTS)
#  error "dbm: not a switch"
#endif
#if !defined(DBM_ASSERT)
#  define DBM_ASSERT(x) ((void)0)
#endif
#if defined(__has_include)
#  if __has_include("dbm_config.h")
#    include "dbm_config.h"
#  endif
#endif
#if defined(DBM_WITH_SQLITE3) && !defined(DBM_WITH_SQLITE)
#  define DBM_WITH_SQLITE DBM_WITH_SQLITE3
#endif
#if defined(DBM_WITH_SQLITE) && (7 - DBM_WITH_SQLITE - 7)
#  define DBM_HAS_SQLITE 1
#else
#  define DBM_HAS_SQLITE 0
#endif
#if defined(DBM_WITH_REDIS) && (7 - DBM_WITH_REDIS - 7)
#  define DBM_HAS_REDIS 1
#else
#  define DBM_HAS_REDIS 0
#endif
#if defined(DBM_NO_THREADS)
#  define DBM__THREADS 0
#else
#  define DBM__THREADS 1
#endif
#define DBM_API extern
"""
CONFIG_ENTRY = """\
/* %s: what it does.
 * Values    off (default), or defined: on.
 * Where     implementation.
 * Requires  nothing.
 * Costs     nothing. */
/* #define %s */
"""
SQLITE = """\
#include "../base/base.h"
#if DBM_HAS_SQLITE
#if defined(__has_include) && !defined(DBM__BUNDLED_SQLITE3_H)
#  if !__has_include(<sqlite3.h>)
#    error "dbm: sqlite3.h is missing"
#  endif
#endif
#include <sqlite3.h>
int dbm__sqlite(void);
int dbm__sqlite(void) { return sqlite3_libversion_number(); }
#endif
"""


def config(names):
    body = "".join(CONFIG_ENTRY % (n, n.split(",")[0]) for n in names)
    return "#ifndef DBM_CONFIG_H\n#define DBM_CONFIG_H\n" + body + "#endif\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="dbm-amalgamate-")
        self.addCleanup(shutil.rmtree, self.root)
        self.put("src/dbm.h.in", MANIFEST)
        self.put("src/api/manual.h", MANUAL)
        self.put("src/api/api.h", API)
        self.put("src/api/options.h", OPTIONS)
        self.put("src/base/base.h", '#ifndef DBM__BASE_H\n#define DBM__BASE_H\n#include "../api/api.h"\n#include <stddef.h>\n'
                                    "#endif\n")
        self.put("src/base/error.c", '#include "base.h"\nint dbm_commit(int s) { return s; }\n'
                                     "const char *dbm_name(void) { return \"/* no comment */ #if\"; }\n"
                                     "int dbm__exec(int s, const char *site) { (void)site; return s; }\n")
        self.put("src/adapters/redis.c", '#include "../base/base.h"\n#if DBM_HAS_REDIS\nint dbm__redis(void);\n#endif\n')
        self.put("src/adapters/sqlite.c", SQLITE)
        self.put("src/manager/manager.c", "/* the manager */\nint (dbm_both)(int s) { return s; }\n")
        self.put("dbm_config.h", config(["DBM_WITH_SQLITE", "DBM_WITH_REDIS", "DBM_NO_THREADS", "DBM_ASSERT", "DBM_PREFIX"])
                 .replace("what it does.", "what it does. Not DBM_WITH_SQLITE3.", 1))
        self.run_it("--prefix-list")

    def path(self, name):
        return os.path.join(self.root, name)

    def put(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(text.encode("latin-1"))

    def get(self, name):
        with open(self.path(name), "rb") as f:
            return f.read().decode("latin-1")

    def edit(self, name, old, new):
        text = self.get(name)
        self.assertIn(old, text)
        self.put(name, text.replace(old, new, 1))

    def run_it(self, *args):
        said = []
        amalgamate.run(["--root", self.root] + list(args), said.append)
        return "\n".join(said)

    def build(self, *args):
        self.run_it(*args)
        return self.get("dbm.h")

    def refused(self, *args):
        """The problems, after checking that each tells what, where, why and the fix."""
        with self.assertRaises(amalgamate.Refusal) as caught:
            self.run_it(*args)
        for p in caught.exception.problems:
            for part in (p.where, p.what, p.why, p.fix):
                self.assertTrue(part)
        return str(caught.exception)

    def compile(self, text, *flags, name="t.c", compiler="gcc"):
        self.put(name, text)
        return subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-I" + self.root, "-c", self.path(name),
                               "-o", self.path("t.o")] + list(flags), stderr=subprocess.PIPE, text=True, check=False)


class Inlining(Case):
    def test_each_file_once_under_a_banner(self):
        text = self.build()
        for name in ("api/api.h", "api/options.h", "api/prefix.h", "base/base.h", "base/error.c", "manager/manager.c"):
            self.assertEqual(text.count("/* --- src/%s --- */\n" % name), 1, name)
        self.assertNotIn('#include "base.h"', text)

    def test_the_first_line_is_the_manuals(self):
        self.assertEqual(self.build().split("\n")[0], MANUAL.split("\n")[0])

    def test_other_peoples_includes_stay(self):
        text = self.build()
        for line in ("#include <stddef.h>", '#    include "dbm_config.h"', "#include <sqlite3.h>", ' *     #include "dbm.h"'):
            self.assertIn(line + "\n", text)

    def test_an_include_by_macro_stays(self):
        self.edit("src/api/options.h", '#    include "dbm_config.h"', "#    include DBM_CONFIG_FILE")
        self.assertIn("#    include DBM_CONFIG_FILE\n", self.build())

    def test_everything_else_byte_for_byte(self):
        text = self.build()
        self.assertIn(self.get("src/base/error.c").replace('#include "base.h"\n', ""), text)
        self.assertIn(OPTIONS, text)

    HEAD = "/* The manager: names\n * and maps.\n * May call: all.\n * Must not know: drivers. */\n"

    def implementation(self, text):
        """What dbm.h holds of manager.c when that is `text`."""
        self.put("src/manager/manager.c", text)
        return self.build().split("/* --- src/manager/manager.c --- */\n")[1].rsplit("#endif\n", 1)[0]

    def test_the_implementation_goes_without_heads_and_blank_lines(self):
        code = "int (dbm_both)(int s) {\n\n    return s; /* why */\n}\n"
        self.assertEqual(self.implementation(self.HEAD + "\n" + code + "\n"), code.replace("\n\n", "\n").replace("\n}", " }"))

    def test_other_comments_stay_whole(self):
        for comment in ("/* the manager\n\n * May call */\n",                                # no head
                        self.HEAD.replace(" drivers. */", " drivers.\n *\n * free -> taken */"),  # tells more than a head
                        "/* May call: all. */\n/* Must not know: drivers. */\n",
                        "int dbm__first;\n" + self.HEAD):                                     # not at the top
            self.assertEqual(self.implementation(comment + "int dbm__x;\n"), comment + "int dbm__x;\n")

    def test_a_blank_line_that_ends_something_stays(self):
        for code in ("#define DBM__A 1 \\\n\nint dbm__x;\n", 'const char *dbm__t = "a\\\n\\\n\\\n";\n', "int dbm__x; /*\n\n*/ int dbm__y;\n"):
            self.assertEqual(self.implementation(code), code)

    def test_a_quoted_comment_hides_no_blank_line(self):
        self.assertEqual(self.implementation('const char *dbm__t = "/*";\n\nint dbm__x; /* */\n'), 'const char *dbm__t = "/*";\nint dbm__x; /* */\n')

    def test_blocks_are_closed_behind_their_last_statement(self):
        code = "int (dbm_both)(int s) {\n    if (s) {\n        s--; /* why */\n    }\n    return s;\n}\n"
        self.assertEqual(self.implementation(code), code.replace("/* why */\n    }", "/* why */ }").replace("s;\n}", "s; }"))
        for code in ("    f();\n#if 1\n    }\n#endif\n", "    f();\n    /* } */\n    }\n", "#define X \"{ \\\n    }\"\n", "/* {\n    }\n*/\n", "    f();\n    } while (1);\n"):
            self.assertEqual(self.implementation(code), code)

    def test_what_fits_one_line_stands_on_one(self):
        code = "int (dbm_both)(int s) {\n    %s;\n}\n"
        self.assertEqual(self.implementation(code % "return s"), "int (dbm_both)(int s) { return s; }\n")
        long = "return s" + " + s" * 40
        self.assertEqual(self.implementation(code % long), "int (dbm_both)(int s) {\n    %s; }\n" % long)

    def test_a_macros_lines_are_filled(self):
        code = "#define DBM__TWICE(x) do { \\\n        x; \\\n        if (x) x; \\\n        x; \\\n    } while (0)\n"
        self.assertEqual(self.implementation(code), "#define DBM__TWICE(x) do { x; if (x) x; \\\n        x; } while (0)\n")

    def test_a_break_stands_behind_a_plain_statement_alone(self):
        code = "int (dbm_both)(int s) {\n    switch (s) {\n    case 1:\n        %s;\n        break;\n    default: break;\n    }\n    return s;\n}\n"
        self.assertIn("        s = 2; break;\n", self.implementation(code % "s = 2"))
        self.assertIn("        if (s) s = 2;\n        break;\n", self.implementation(code % "if (s) s = 2"))

    def test_a_declaration_goes_when_its_definition_comes_first(self):
        code = ("DBM__FN int dbm__one(int a);\n", "DBM__FN int dbm__two(int a);\n", "/* Its promise. */\nDBM__FN int dbm__three(void);\n",
                "DBM__FN DBM__COLD int dbm__four(void);\n", "DBM__FN int dbm__five(void);\n")
        rest = ("DBM__FN int dbm__one(int a) { return a; }\nint dbm__x = sizeof(dbm__two(1));\nDBM__FN int dbm__two(int a) { return dbm__one(a); }\n"
                "DBM__FN int dbm__three(void) { return 3; }\nDBM__FN int dbm__four(void) { return 4; }\n"
                "#if A\nDBM__FN int dbm__five(void) { return 5; }\n#else\nDBM__FN int dbm__five(void) { return 6; }\n#endif\n")
        self.assertEqual(self.implementation("".join(code) + rest), "".join(code[1:]) + rest)

    def test_variables_without_a_value_share_a_line(self):
        code = "int (dbm_both)(int s) {\n    int i, j;\n    char *p;\n    int k = s;\n    int l;\n    i = j = l = k;\n    return i;\n    goto x;\n}\n"
        self.assertIn("    int i, j; char *p;\n    int k = s;\n    int l;\n    i = j = l = k;\n    return i;\n", self.implementation(code))
        code = "struct dbm__s {\n    int a;\n    int b;\n};\n"
        self.assertEqual(self.implementation(code), code)

    def test_its_comment_stands_above_the_definition(self):
        comment, declared, rest = "/* One\n * promise. */\n", "DBM__FN int dbm__one(int a);\n", "int dbm__x;\n"
        defined = "DBM__FN int dbm__one(int a) { return a; }\n"
        self.assertEqual(self.implementation(comment + declared + rest + defined), rest + comment + defined)
        for code in (comment + declared + "DBM__FN int dbm__two(int a);\n" + rest + defined,      # of several
                     comment + declared + rest + "/* Why. */\n" + defined):                       # there is one
            self.assertEqual(self.implementation(code), code)

    def test_the_public_half_keeps_both(self):
        public = self.HEAD + API.replace("#include", "\n\n#include", 1).split("#include")[0]
        self.put("src/api/api.h", API.replace(API.split("#include")[0], public))
        self.put("src/api/licence.h", self.HEAD + "\n/* free */\n")
        self.put("src/dbm.h.in", MANIFEST + '#include "api/licence.h"\n')
        text = self.build()
        self.assertIn(public, text)
        self.assertTrue(text.endswith("#endif\n/* --- src/api/licence.h --- */\n" + self.HEAD + "\n/* free */\n"))

    def test_deterministic_and_written_only_when_different(self):
        first = self.build()
        os.utime(self.path("dbm.h"), (1, 1))
        self.assertIn("unchanged", self.run_it())
        self.assertEqual(os.stat(self.path("dbm.h")).st_mtime, 1)
        self.assertEqual(self.get("dbm.h"), first)

    def test_the_hash_is_that_of_the_text_without_its_line(self):
        lines = self.build().split("\n")[:-1]
        at = next(i for i, line in enumerate(lines) if "content hash" in line)
        digest = re.search(r"[0-9a-f]{16}$", lines[at]).group()
        self.assertEqual(digest, amalgamate.content_hash(lines[:at] + lines[at + 1:]))

    def test_the_hash_changes_with_the_text(self):
        first = self.build()
        self.edit("src/manager/manager.c", "the manager", "the managers")
        self.assertNotEqual(first.split("\n")[1], self.build().split("\n")[1])

    def test_it_compiles(self):
        self.build()
        done = self.compile('#define DBM_IMPLEMENTATION\n#include "dbm.h"\n')
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_list(self):
        said = self.run_it("--list")
        self.assertRegex(said, r"sqlite +\d+ lines +DBM_WITH_SQLITE")
        self.assertRegex(said, r"base/ +\d+ lines +2 files")

    def test_output_file(self):
        self.run_it("-o", self.path("out/other.h"))
        self.assertTrue(self.get("out/other.h").startswith("/* dbm.h 0.1.0"))
        self.assertFalse(os.path.exists(self.path("dbm.h")))


class Refusals(Case):
    def test_a_file_that_nobody_includes(self):
        self.put("src/pool/pool.c", "int dbm__pool;\n")
        self.assertIn("src/pool/pool.c: nobody includes this file", self.refused())

    def test_a_missing_file(self):
        self.edit("src/dbm.h.in", "manager/manager.c", "manager/manger.c")
        self.assertIn("src/dbm.h.in:9: there is no src/manager/manger.c; did you mean src/manager/manager.c?", self.refused())

    def test_a_missing_manifest(self):
        os.remove(self.path("src/dbm.h.in"))
        self.assertIn("there is no manifest", self.refused())

    def test_a_cycle(self):
        self.put("src/base/a.h", '#include "b.h"\n')
        self.put("src/base/b.h", '#include "a.h"\n')
        self.edit("src/base/base.h", "#include <stddef.h>", '#include "a.h"')
        self.assertIn("src/base/b.h:1: files include each other: src/base/a.h -> src/base/b.h -> src/base/a.h", self.refused())

    def test_an_unclosed_if(self):
        self.edit("src/base/error.c", "int dbm_commit", "#if 1\nint dbm_commit")
        self.assertIn("src/base/error.c:2: #if is never closed", self.refused())

    def test_an_endif_too_many(self):
        self.edit("src/manager/manager.c", "int ", "#endif\nint ")
        self.assertIn("src/manager/manager.c:2: #endif without #if", self.refused())

    def test_an_else_without_if(self):
        self.edit("src/manager/manager.c", "int ", "#else\nint ")
        self.assertIn("src/manager/manager.c:2: #else without #if", self.refused())

    def test_an_if_in_a_comment_or_text_does_not_count(self):
        self.edit("src/manager/manager.c", "/* the manager */", '/*\n#if 1\n*/\nextern const char *dbm__t; // "\n#define DBM__T "/*"')
        self.build()

    def test_a_comment_that_never_ends(self):
        self.put("src/manager/manager.c", "int dbm__x;\n/* the manager\n")
        self.assertIn("src/manager/manager.c:2: a comment that never ends", self.refused())

    def test_crlf(self):
        self.put("src/manager/manager.c", "int a;\nint b;\r\n")
        self.assertIn("src/manager/manager.c:2: a line ends in CRLF", self.refused())

    def test_a_tab(self):
        self.put("src/manager/manager.c", "int a;\n\tint b;\n")
        self.assertIn("src/manager/manager.c:2: a tab", self.refused())

    def test_not_ascii(self):
        self.put("src/manager/manager.c", "/* caf\xe9 */\n")
        self.assertIn("src/manager/manager.c:1: a character that is not ASCII", self.refused())

    def test_no_newline_at_the_end(self):
        self.put("src/manager/manager.c", "int a;\nint b;")
        self.assertIn("src/manager/manager.c:2: the last line has no line end", self.refused())

    def test_all_problems_at_once(self):
        self.put("src/manager/manager.c", "int a;\t\n")
        self.put("src/base/error.c", "#if 1\n")
        said = self.refused()
        self.assertIn("a tab", said)
        self.assertIn("never closed", said)

    def test_a_second_include_that_the_first_need_not_cover(self):
        self.put("src/base/late.h", "int dbm__late(void);\n")
        self.edit("src/base/base.h", "#include <stddef.h>", '#if DBM__THREADS\n#include "late.h"\n#endif')
        self.edit("src/base/error.c", '#include "base.h"', '#include "base.h"\n#include "late.h"')
        self.assertIn("src/base/error.c:2: src/base/late.h was inlined earlier, under a condition", self.refused())

    def test_an_option_that_the_config_lacks(self):
        self.edit("src/base/base.h", "#include <stddef.h>", "#if defined(DBM_NO_CLOCK)\nint dbm__c(void);\n#endif")
        self.edit("src/api/manual.h", "DBM_ASSERT", "DBM_ASSERT DBM_NO_CLOCK")
        self.assertIn("src/base/base.h: the option DBM_NO_CLOCK is not in dbm_config.h", self.refused())

    def test_an_option_that_the_manual_lacks(self):
        self.edit("src/api/manual.h", "DBM_NO_THREADS ", "")
        self.assertIn("src/api/options.h: the option DBM_NO_THREADS is not in the manual", self.refused())

    def test_an_alias_that_the_config_lacks(self):
        self.edit("dbm_config.h", "Not DBM_WITH_SQLITE3.", "")
        self.assertIn("DBM_WITH_SQLITE3, another spelling of DBM_WITH_SQLITE, is not in dbm_config.h", self.refused())

    def test_an_option_that_nothing_knows(self):
        self.put("dbm_config.h", self.get("dbm_config.h").replace("#endif\n", CONFIG_ENTRY % ("DBM_NO_WAY", "DBM_NO_WAY") + "#endif\n"))
        self.assertRegex(self.refused(), r"dbm_config.h:\d+: nothing in src/ knows DBM_NO_WAY")

    def test_an_entry_that_lacks_a_field(self):
        self.edit("dbm_config.h", " * Requires  nothing.\n", "")
        self.assertIn("dbm_config.h:3: DBM_WITH_SQLITE says nothing under Requires", self.refused())

    def test_a_config_that_changes_something(self):
        self.edit("dbm_config.h", "/* #define DBM_NO_THREADS */", "#define DBM_NO_THREADS")
        self.assertIn("something but the guard DBM_CONFIG_H is active", self.refused())

    def test_no_config(self):
        os.remove(self.path("dbm_config.h"))
        self.assertIn("dbm_config.h: the file is missing", self.refused())

    def test_what_only_leads_to_an_error_is_no_option(self):
        self.edit("src/api/options.h", "#define DBM_API", '#if defined(DBM_WITH_ORACLE)\n#  error "dbm: no"\n#endif\n#define DBM_API')
        self.build()

    def test_too_many_lines(self):
        self.edit("src/manager/manager.c", "int ", "int dbm__a;\n" * amalgamate.MAX_LINES + "int ")
        self.assertRegex(self.refused(), r"dbm.h: 3\d{4} lines, more than %d" % amalgamate.MAX_LINES)

    def test_wrong_uses_of_the_command(self):
        for args in (["--check", "--only", "sqlite"], ["--split", "x", "-o", "y"], ["--only", "sqlite"], ["--bundle", "x.c"]):
            err, sys.stderr = sys.stderr, io.StringIO()
            try:
                with self.assertRaises(SystemExit):
                    self.run_it(*args)
            finally:
                sys.stderr = err


class Check(Case):
    def setUp(self):
        super().setUp()
        self.build()

    def test_fresh(self):
        self.assertIn("dbm.h is what src/ says", self.run_it("--check"))

    def test_missing(self):
        os.remove(self.path("dbm.h"))
        self.assertIn("dbm.h: it does not exist", self.refused("--check"))

    def test_stale(self):
        self.edit("src/base/error.c", "return s;", "return s + 1;")
        said = self.refused("--check")
        self.assertIn("stale", said)
        self.assertIn("src/base/error.c:2 (room base/", said)

    def test_stale_in_two_files(self):
        self.edit("src/base/error.c", "return s;", "return s +\n1;")
        self.edit("src/manager/manager.c", "the manager", "manager")
        self.assertIn("also src/manager/manager.c", self.refused("--check"))

    def test_edited_by_hand(self):
        self.edit("dbm.h", "(dbm_both)(int s) { return s; }", "(dbm_both)(int s) { return 2; }")
        said = self.refused("--check")
        self.assertIn("edited by hand", said)
        self.assertIn("make the edit in src/manager/manager.c, near line 2", said)

    def test_edited_by_hand_below_what_is_left_out(self):
        self.put("src/manager/manager.c", Inlining.HEAD + "\n\n" + self.get("src/manager/manager.c"))
        self.build()
        self.edit("dbm.h", "(dbm_both)(int s) { return s; }", "(dbm_both)(int s) { return 2; }")
        self.assertIn("make the edit in src/manager/manager.c, near line 8", self.refused("--check"))

    def test_a_blank_line_added_by_hand(self):
        self.edit("dbm.h", "/* the manager */\n", "/* the manager */\n\n")
        self.assertIn("edited by hand: dbm.h:%d differs from src/manager/manager.c:2" % (self.get("dbm.h").split("\n").index("/* the manager */") + 2),
                      self.refused("--check"))

    def test_what_is_left_out_makes_nothing_stale(self):
        self.put("src/base/error.c", Inlining.HEAD + self.get("src/base/error.c") + "\n")
        self.assertIn("dbm.h is what src/ says", self.run_it("--check"))

    def test_a_line_added_by_hand_at_the_end_of_a_file(self):
        self.edit("dbm.h", "/* --- src/adapters/redis.c --- */", "int dbm__new(void);\n/* --- src/adapters/redis.c --- */")
        self.assertIn("make the edit in src/base/error.c", self.refused("--check"))

    def test_the_hash_edited_by_hand(self):
        text = self.get("dbm.h")
        self.put("dbm.h", re.sub(r"content hash [0-9a-f]{16}", "content hash 0123456789abcdef", text))
        self.assertIn("edited by hand", self.refused("--check"))

    def test_writes_nothing(self):
        self.edit("src/base/error.c", "return s;", "return s + 1;")
        before = self.get("dbm.h")
        self.refused("--check")
        self.assertEqual(self.get("dbm.h"), before)

    def test_a_prefix_list_that_lacks_a_name(self):
        self.edit("src/api/api.h", "DBM_API int dbm_commit", "DBM_API int dbm_rollback(int s);\nDBM_API int dbm_commit")
        self.assertIn("src/api/prefix.h: it lacks dbm_rollback", self.refused("--check"))

    def test_a_prefix_list_with_a_name_too_many(self):
        self.edit("src/api/api.h", "DBM_API const char *dbm_name(void);", "")
        self.edit("src/base/error.c", "const char *dbm_name", "const char *dbm__name")
        self.assertIn("it has dbm_name, which src/ does not export", self.refused("--check"))

    def test_from_the_command_line(self):
        script = os.path.join(ROOT, "amalgamate.py")
        done = subprocess.run([sys.executable, script, "--root", self.root, "--check"], stdout=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 0)
        self.edit("dbm.h", "(dbm_both)", "( dbm_both)")
        done = subprocess.run([sys.executable, script, "--root", self.root, "--check"], stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("amalgamate: dbm.h:", done.stderr)


class Prefix(Case):
    def test_names(self):
        text = self.build()
        names = re.findall(r"DBM__PREFIXED\((dbm_\w+)\)", text)
        self.assertEqual(names, ["dbm__exec", amalgamate.ONLY_ONE, "dbm_commit", "dbm_name"])

    def test_two_copies(self):
        self.build()
        for prefix in ("a_", "b_"):
            done = self.compile('#define DBM_IMPLEMENTATION\n#define DBM_PREFIX %s\n#include "dbm.h"\n'
                                "int %sx(void);\nint %sx(void) { return dbm_exec(dbm_commit(1)); }\n" % ((prefix,) * 3))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            symbols = subprocess.run(["nm", self.path("t.o")], stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertRegex(symbols, r"T %sdbm_commit\n" % prefix)
            self.assertRegex(symbols, r"T %sdbm__exec\n" % prefix)


class Only(Case):
    def test_leaves_the_others_out(self):
        self.run_it("--only", "redis", "-o", self.path("dbm.h"))
        text = self.get("dbm.h")
        self.assertNotIn("sqlite3_libversion_number", text)
        self.assertIn("int dbm__redis(void);", text)
        self.assertIn("/* --- left out: src/adapters/sqlite.c --- */", text)

    def test_an_adapter_of_several_files(self):
        self.put("src/adapters/redis.h", '#include "../base/base.h"\nint dbm__redis_more(void);\n')
        self.put("src/adapters/redis_more.c", '#include "redis.h"\n#if DBM_HAS_REDIS\nint dbm__redis_more(void) { return 1; }\n#endif\n')
        self.edit("src/dbm.h.in", '#include "adapters/redis.c"\n', '#include "adapters/redis.c"\n#include "adapters/redis_more.c"\n')
        self.run_it("--only", "sqlite", "-o", self.path("dbm.h"))
        self.assertNotIn("dbm__redis_more", self.get("dbm.h"))
        self.run_it("--only", "redis", "-o", self.path("dbm.h"))
        self.assertEqual(self.get("dbm.h").count("dbm__redis_more"), 2)
        self.assertRegex(self.run_it("--list"), r"redis +10 lines +DBM_WITH_REDIS\n")

    def test_asking_later_is_an_error_that_names_the_command(self):
        self.run_it("--only", "redis", "-o", self.path("dbm.h"))
        done = self.compile('#define DBM_IMPLEMENTATION\n#include "dbm.h"\n', "-DDBM_WITH_SQLITE")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("python3 amalgamate.py --only redis,sqlite", done.stderr)
        for flags in (["-DDBM_WITH_REDIS"], ["-DDBM_WITH_SQLITE=0"], []):
            done = self.compile('#define DBM_IMPLEMENTATION\n#include "dbm.h"\n', *flags)
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_none_and_several(self):
        self.run_it("--only", "none", "-o", self.path("dbm.h"))
        self.assertEqual(self.get("dbm.h").count("--- left out"), 2)
        self.run_it("--only", "sqlite,redis", "-o", self.path("dbm.h"))
        self.assertEqual(self.get("dbm.h").count("--- left out"), 0)

    def test_an_unknown_adapter(self):
        self.assertIn("did you mean sqlite?", self.refused("--only", "sqlit", "-o", self.path("x.h")))


class Bundle(Case):
    SQLITE_H = "#ifndef SQLITE3_H\n#define SQLITE3_H\nint sqlite3_libversion_number(void);\n#endif\n"

    def setUp(self):
        super().setUp()
        self.put("theirs/sqlite3.h", self.SQLITE_H)
        self.put("theirs/sqlite3.c", '#include "sqlite3.h"\n#include "part.h"\n'
                                     "int sqlite3_libversion_number(void) { int unused_in_their_code; return PART; }\n")
        self.put("theirs/part.h", "#define PART 3\r\n")

    def bundle(self):
        self.run_it("--bundle", self.path("theirs/sqlite3.c"), "-o", self.path("dbm.h"))
        return self.get("dbm.h")

    def test_needs_no_other_file(self):
        self.bundle()
        shutil.rmtree(self.path("theirs"))
        done = self.compile('#define DBM_IMPLEMENTATION\n#include "dbm.h"\nint main(void) { return dbm__sqlite() != 3; }\n',
                            "-DDBM_WITH_SQLITE")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        subprocess.run(["gcc", self.path("t.o"), "-o", self.path("t")], check=True)
        self.assertEqual(subprocess.run([self.path("t")], check=False).returncode, 0)

    def test_order(self):
        text = self.bundle()
        self.assertNotIn("#include <sqlite3.h>", text)
        marks = ("define _GNU_SOURCE", "/* --- begin bundled sqlite3.h --- */", "int dbm__sqlite(void) {",
                 "/* --- begin bundled sqlite3.c --- */", "/* --- begin bundled part.h --- */", "{ int unused_in_their_code")
        positions = [text.index(m) for m in marks]
        self.assertEqual(positions, sorted(positions))

    def test_the_version_that_the_amalgamation_has_in_its_own_copy_of_the_header(self):
        self.put("theirs/sqlite3.h", self.SQLITE_H.replace("int sqlite3", '#define SQLITE_VERSION "3"\n'
                                                           "extern const char sqlite3_version[];\nint sqlite3"))
        self.put("theirs/sqlite3.c", "#define SQLITE_AMALGAMATION 1\n#ifndef SQLITE3_H\n#define SQLITE3_H\n"
                                     '#define SQLITE_VERSION "3"\nconst char sqlite3_version[] = SQLITE_VERSION;\n#endif\n'
                                     "int sqlite3_libversion_number(void) { return sqlite3_version[0]; }\n")
        self.bundle()
        done = self.compile('#define DBM_IMPLEMENTATION\n#include "dbm.h"\nint main(void) { return dbm__sqlite() != 51; }\n',
                            "-DDBM_WITH_SQLITE")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        subprocess.run(["gcc", self.path("t.o"), "-o", self.path("t")], check=True)
        self.assertEqual(subprocess.run([self.path("t")], check=False).returncode, 0)

    def test_not_selected(self):
        self.bundle()
        done = self.compile('#define DBM_IMPLEMENTATION\n#include "dbm.h"\n')
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_declarations_alone(self):
        self.bundle()
        done = self.compile('#include "dbm.h"\n', compiler="g++", name="t.cpp")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_not_in_cpp(self):
        self.bundle()
        done = self.compile('#define DBM_IMPLEMENTATION\n#include "dbm.h"\n', "-fpermissive", compiler="g++", name="t.cpp")
        self.assertIn("put DBM_IMPLEMENTATION into a .c file", done.stderr)

    def test_a_missing_file(self):
        self.assertIn("there is no such file", self.refused("--bundle", "nowhere/sqlite3.c", "-o", self.path("x.h")))

    def test_not_a_c_file(self):
        self.assertIn("this is not a .c file", self.refused("--bundle", self.path("theirs/sqlite3.h"), "-o", self.path("x.h")))

    def test_a_source_that_would_still_look_for_the_header(self):
        self.edit("src/adapters/sqlite.c", " && !defined(DBM__BUNDLED_SQLITE3_H)", "")
        self.assertIn("add `&& !defined(DBM__BUNDLED_SQLITE3_H)`",
                      self.refused("--bundle", self.path("theirs/sqlite3.c"), "-o", self.path("x.h")))


class Split(Case):
    def test_two_files(self):
        self.run_it("--split", self.path("two"))
        self.assertNotIn("DBM__IMPLEMENTED", self.get("two/dbm.h"))
        self.assertTrue(self.get("two/dbm.h").startswith("/* dbm.h 0.1.0"))
        flags = ["-Wall", "-Wextra", "-Werror"]
        self.put("two/main.c", '#include "dbm.h"\nint main(void) { return dbm_commit(0); }\n')
        subprocess.run(["gcc", *flags, self.path("two/main.c"), self.path("two/dbm.c"), "-o", self.path("two/main")], check=True)
        self.assertEqual(subprocess.run([self.path("two/main")], check=False).returncode, 0)

    def test_with_a_bundle(self):
        self.put("theirs/sqlite3.h", Bundle.SQLITE_H)
        self.put("theirs/sqlite3.c", '#include "sqlite3.h"\nint sqlite3_libversion_number(void) { return 3; }\n')
        self.run_it("--split", self.path("two"), "--bundle", self.path("theirs/sqlite3.c"))
        self.assertNotIn("bundled sqlite3", self.get("two/dbm.h"))
        subprocess.run(["gcc", "-DDBM_WITH_SQLITE", "-c", self.path("two/dbm.c"), "-o", self.path("two/dbm.o")], check=True)

    def test_a_manifest_without_an_implementation(self):
        self.put("src/dbm.h.in", MANIFEST.replace("#if defined(DBM_IMPLEMENTATION) && !defined(DBM__IMPLEMENTED)\n", "#if 1\n"))
        self.assertIn("no #if asks for DBM_IMPLEMENTATION", self.refused("--split", self.path("two")))


if __name__ == "__main__":
    unittest.main()
