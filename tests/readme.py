#!/usr/bin/env python3
"""README.md and the manual in dbm.h say what is true: every piece of code is taken from their text, built and run, and every table
is compared with the source. Prints `ok NAME` or `not ok NAME`, and fails when a check failed.

    python3 tests/readme.py             all of it
    python3 tests/readme.py --readme F  another file in the place of README.md (a test of this test gives it wrong ones)

The line before a code block of README.md says how it is to be read:

    <!-- file: NAME -->                  ini: written to NAME for the programs behind it; must load without an error
    <!-- ini -->, <!-- ini: stars -->    ini: must load without an error (stars: with the adapter of README's fragment)
    <!-- program: NAME [same: PATH] [flags: ...] -->   a whole program; PATH is the same text in the repository
    <!-- unit: NAME -->                  a whole file that is not a program
    <!-- build: NAME -->                 sh: builds that program, by these very commands, with dbm.h beside it
    <!-- output: NAME -->                text: what that program prints
    <!-- fragment: WRAPPER -->           C that stands in one of the wrappers below; an <!-- output --> behind it is what it prints
    no line                              sh: every command in it must exist
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WARNINGS = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Werror".split()
LIBRARIES = ["-lsqlite3", "-linih", "-lpthread"]
SECTIONS = ["Two commands", "Five minutes to a program", "Choosing backends", "Config reference", "Sessions", "Async", "Errors", "Models", "Redis", "MongoDB",
            "Adapters of your own", "Speed", "FAQ", "Licence"]

PROLOGUE = r"""
#define DBM_IMPLEMENTATION
#define DBM_WITH_SQLITE
#define DBM_WITH_INI
#include "dbm.h"
#include <stdio.h>
#include <string.h>
static const char schema[] = "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT, age INTEGER); CREATE TABLE log(text TEXT NOT NULL UNIQUE)";
static inline dbm_manager *open_all(void) {
    dbm_manager *mgr = NULL;
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_add_database(mgr, DBM_CONFIG(.url = "sqlite:///:memory:")) != DBM_OK ||
        dbm_script(dbm_get(mgr, NULL), schema) != DBM_OK) printf("%s\n", dbm_last_error()->message);
    return mgr;
}
static inline int close_all(dbm_manager *mgr) {
    int rc = dbm_close_all(mgr) != DBM_OK;
    dbm_manager_free(mgr);
    return rc;
}
"""
# A fragment stands at @@. `functions` and `file` are followed by code that calls what the fragment defines.
WRAPPERS = {
    # Without a server: on no session each call answers that there is none.
    "mongo": PROLOGUE + """static inline dbm_status documents(dbm_session *s) {
@@
return dbm_last_error()->status;
}
int main(void) { return documents(NULL) == DBM_E_MISUSE ? 0 : 1; }
""",
    "async": "#define DBM_WITH_ASYNC\n" + PROLOGUE + r"""
@@
static int sum_of(dbm_manager *mgr) {
    dbm_row *row;
    int n = -1;
    DBM_SESSION(mgr, NULL, s) if (dbm_query_one(s, &row, "SELECT sum(n * id) FROM account") == DBM_OK) dbm_scan(row, &n);
    return n;
}
int main(void) {
    static struct transfer x[2];
    dbm_manager *mgr = open_all();
    int wrong = dbm_script(dbm_get(mgr, NULL), "CREATE TABLE account(id INTEGER PRIMARY KEY, n INTEGER CHECK (n >= 0)); INSERT INTO account VALUES (1, 10), (2, 10)") != DBM_OK;
    x[0].from = 1, x[0].to = 2, x[0].n = 4;
    x[1].from = 2, x[1].to = 1, x[1].n = 1;
    wrong |= move_all(mgr, x, 2) != DBM_OK || sum_of(mgr) != 7 * 1 + 13 * 2 || x[0].outcome != DBM_OK;
    return close_all(mgr) + wrong;
}
""",
    # Without a server: SQLite has no channels, and the callback is called as the loop would.
    "listen": "#define DBM_WITH_ASYNC\n" + PROLOGUE + r"""
@@
int main(void) {
    struct orders o = { 0, true };
    dbm_manager *mgr = open_all();
    dbm_loop *loop = NULL;
    static const dbm_heard_kind kinds[] = { DBM_HEARD_READY, DBM_HEARD_MESSAGE, DBM_HEARD_MESSAGE, DBM_HEARD_GAP };
    int i, wrong = dbm_loop_create(&loop, mgr, NULL) != DBM_OK || hear_orders(loop, dbm_get(mgr, NULL), &o) != DBM_E_UNSUPPORTED;
    for (i = 0; i < 4; i++) {
        dbm_heard one;
        memset(&one, 0, sizeof one);
        one.kind = kinds[i];
        heard(&o, &one);
        wrong |= o.unknown != (i == 3);
    }
    wrong |= o.new_ones != 2;
    dbm_loop_free(loop);
    return close_all(mgr) + wrong;
}
""",
    "main": PROLOGUE + "int main(void) {\ndbm_manager *mgr = open_all();\n{\n@@\n}\nreturn close_all(mgr);\n}\n",
    "session": PROLOGUE + """int main(void) {
dbm_manager *mgr = open_all();
dbm_status outcome = DBM_OK;
DBM_SESSION_RC(mgr, NULL, s, &outcome) {
@@
}
if (outcome != DBM_OK) printf("the session: %s\\n", dbm_last_error()->message);
return close_all(mgr) + (outcome != DBM_OK);
}
""",
    "redis": PROLOGUE + "static void with_a_server(dbm_manager *mgr) {\n@@\n}\nint main(int argc, char **argv) {\n" + """(void)argv;
if (argc > 1) with_a_server(NULL); /* built, not run: there is no server here */
return 0;
}
""",
    "functions": PROLOGUE + "@@\n" + r"""
static int64_t number(dbm_manager *mgr, const char *sql) {
    int64_t n = -1;
    dbm_row *row;
    DBM_SESSION(mgr, NULL, s) { if (dbm_query_one(s, &row, sql) == DBM_OK) dbm_scan(row, &n); }
    return n;
}
#define MUST(x) do { if (!(x)) { printf("wrong: %s\n", #x); wrong++; } } while (0)
int main(void) {
    dbm_manager *mgr = open_all();
    dbm_status rc = DBM_OK, one = DBM_OK, two = DBM_OK;
    int wrong = 0;
    DBM_SESSION(mgr, NULL, s) dbm_exec(s, "INSERT INTO users(id, name) VALUES (1, 'Ada')");
    MUST(rename_user(mgr, 1, "Augusta"));
    MUST(!rename_user(mgr, 2, "Nobody"));
    MUST(number(mgr, "SELECT count(*) FROM users WHERE name = 'Augusta'") == 1);
    DBM_SESSION_RC(mgr, NULL, s, &rc) {
        one = import_user(s, "Grace");
        two = import_user(s, "Grace");
    }
    MUST(rc == DBM_OK);
    MUST(one == DBM_OK);
    MUST(two == DBM_E_CONSTRAINT);
    MUST(number(mgr, "SELECT count(*) FROM users WHERE name = 'Grace'") == 1);
    return close_all(mgr) + wrong;
}
""",
    "file": PROLOGUE + "@@\n" + r"""
int main(void) {
    dbm_manager *mgr = open_all();
    dbm_error_info why;
    int wrong = use_stars(mgr) != DBM_OK || dbm_get(mgr, "sky") == NULL;
    if (wrong) printf("%s\n", dbm_last_error()->message);
    DBM_SESSION(mgr, "sky", s) dbm_exec(s, "FIND sirius");
    if (!dbm_session_failed(&why) || strstr(why.message, "no star answers") == NULL) wrong = printf("wrong: %s\n", why.message);
    return close_all(mgr) + (wrong != 0);
}
""",
}
LOADER = PROLOGUE + r"""
static dbm_status stars_init(dbm_database *db) { (void)db; return DBM_OK; }
static void stars_close(dbm_database *db) { (void)db; }
int main(int argc, char **argv) {
    static dbm_adapter stars;
    dbm_manager *mgr = NULL;
    static char text[65536];
    size_t size;
    FILE *f = fopen(argv[1], "rb");
    if (f == NULL) return 2;
    size = fread(text, 1, sizeof text, f);
    fclose(f);
    stars.size = (uint32_t)sizeof stars;
    stars.version = DBM_ADAPTER_VERSION;
    stars.type = "stars";
    stars.options = "catalogue";
    stars.init = stars_init;
    stars.close = stars_close;
    if (dbm_manager_create(&mgr, NULL) != DBM_OK || dbm_register(mgr, &stars) != DBM_OK || dbm_load_text(mgr, text, size) != DBM_OK) {
        printf("%s\n", dbm_last_error()->message);
        return 1;
    }
    for (; argc > 2; argc--) { /* these are looked at by their adapters too */
        if (dbm_get(mgr, argv[argc - 1]) == NULL) return printf("%s\n", dbm_last_error()->message), 1;
    }
    dbm_manager_free(mgr);
    return 0;
}
"""
# What is in force when nothing is said.
IN_FORCE = PROLOGUE + r"""
int main(void) {
    dbm_manager *mgr = open_all();
    const dbm_config *c = dbm_database_config(dbm_get(mgr, NULL));
    dbm_row *row;
    printf("pool_size %d\nmax_overflow %d\npool_timeout %d\npool_recycle %d\nmin_idle %d\nidle_timeout %d\nconnect_timeout %d\n", c->pool.size,
           c->pool.max_overflow, c->pool.timeout_ms, c->pool.recycle_ms, c->pool.min_idle, c->pool.idle_timeout_ms, c->connect_timeout_ms);
    printf("statement_timeout %d\nsocket_timeout %d\ntcp_keepalive %d\ntcp_user_timeout %d\nstatement_cache %d\nleak_warning %d\n",
           c->statement_timeout_ms, c->socket_timeout_ms, c->tcp_keepalive_ms, c->tcp_user_timeout_ms, c->statement_cache, c->leak_warning_ms);
    printf("row_buffer %lu\n", (unsigned long)c->row_buffer);
    printf("pool_pre_ping %s\n", c->pool.pre_ping == DBM_PRE_PING_DEFAULT ? "true" : "?");
    printf("pool_reset_on_return %s\n", c->pool.reset_on_return == DBM_RESET_DEFAULT ? "rollback" : "?");
    printf("echo %s\n", c->echo == DBM_ECHO_OFF ? "false" : "?");
    printf("not_set%s%s%s%s%s%s\n", c->tls == DBM_TLS_DEFAULT ? " tls" : "", c->tls_ca == NULL ? " tls_ca" : "", c->tls_cert == NULL ? " tls_cert" : "",
           c->tls_key == NULL ? " tls_key" : "", c->init_sql == NULL ? " init_sql" : "", c->isolation == DBM_ISOLATION_DEFAULT ? " isolation_level" : "");
    dbm_add_database(mgr, DBM_CONFIG(.name = "file", .url = "sqlite:///in_force.db"));
    if (dbm_query_one(dbm_get(mgr, "file"), &row, "SELECT foreign_keys, journal_mode, synchronous FROM pragma_foreign_keys, pragma_journal_mode, "
                      "pragma_synchronous") == DBM_OK) {
        printf("foreign_keys %s\njournal_mode_of_a_new_file %s\nsynchronous %s\n", dbm_row_bool(row, 0) ? "true" : "false", dbm_row_text(row, 1),
               dbm_row_int(row, 2) == 2 ? "full" : "?");
        dbm_row_end(row);
    } else {
        printf("%s\n", dbm_last_error()->message);
    }
    return close_all(mgr);
}
"""


class Wrong(Exception):
    """A check failed; the text says how."""


def need(condition, *text):
    if not condition:
        raise Wrong(" ".join(str(t) for t in text))


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="ascii") as f:
        return f.read()


class Block:
    def __init__(self, language, line, directive):
        self.language, self.line, self.text, self.name = language, line, "", ""
        self.kind, self.same, self.flags, self.output = "", None, [], None
        self.listed = directive
        if directive is not None:
            m = re.match(r"(\w+)(?::\s*(\S+))?(?:\s+same:\s*(\S+))?(?:\s+flags:\s*(.*))?$", directive)
            need(m, "line %d: this is not understood: %s" % (line, directive))
            self.kind, self.name, self.same = m.group(1), m.group(2) or "", m.group(3)
            self.flags = (m.group(4) or "").split()


def blocks_of(text):
    """Every code block, fenced or indented; an indented one can't be checked, so it is refused."""
    result, block, directive, listed = [], None, None, False
    for number, line in enumerate(text.split("\n"), 1):
        if block is not None:
            if line.strip() == "```":
                result.append(block)
                block = None
            else:
                block.text += line + "\n"
            continue
        m = re.match(r"\s*(`{3,}|~{3,})(.*)$", line)
        if m:
            need(m.group(1) == "```" and line.startswith("```"), "line %d: a block begins with three backticks at the line's start" % number)
            block = Block(m.group(2).strip(), number, directive)
            directive = None
            continue
        if line.startswith(("    ", "\t")) and not listed:
            raise Wrong("line %d: an indented block can't be checked; fence it" % number)
        m = re.match(r"<!-- (.*?) -->\s*$", line)
        if m:
            directive = m.group(1).strip()
        elif line.strip():
            directive = None
        listed = line.startswith(("-", "  ")) if line.strip() else listed
    need(block is None, "a code block is never closed")
    return result


def tables_of(text):
    """name -> rows of cells, of every table with a `table` line before it; the heading and the dashes are left out."""
    result = {}
    for m in re.finditer(r"^<!-- table: (\w+) -->\n((?:\|.*\n)+)", text, re.M):
        rows = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in m.group(2).strip().split("\n")]
        result[m.group(1)] = rows[2:]
    return result


class Readme:
    def __init__(self, path, work):
        self.work = work
        with open(path, encoding="ascii") as f:
            self.text = f.read()
        self.failures = 0
        self.blocks = []
        self.tables = tables_of(self.text)
        self.objects = {}

    # ---- running things --------------------------------------------------------------------------------------------------

    def run(self, *command, cwd=None, env=None):
        """What a command prints, which must end with 0 within two minutes."""
        try:
            done = subprocess.run(command, cwd=cwd or self.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=120, env=env)
        except subprocess.TimeoutExpired as e:
            raise Wrong("this did not end: " + " ".join(command)) from e
        text = done.stdout.decode("utf-8", "replace")
        need(done.returncode == 0, "exit status %d of: %s\n%s" % (done.returncode, " ".join(command), text))
        return text

    def fresh(self, name):
        """A directory with dbm.h and the files that README has shown so far."""
        path = os.path.join(self.work, name)
        os.makedirs(path, exist_ok=True)
        for f in os.listdir(path):
            os.remove(os.path.join(path, f))
        shutil.copy(os.path.join(ROOT, "dbm.h"), path)
        return path

    def write(self, folder, name, text):
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(text)

    def build_and_run(self, folder, name, text, flags=None, forms=None):
        """With every warning an error, in each form; what the last one printed."""
        said = None
        self.write(folder, name, text)
        for command in forms or [["gcc", "-std=c99"], ["gcc", "-std=c11"], ["g++", "-std=c++11", "-x", "c++"]]:
            program = os.path.join(folder, "program")
            self.run(*command, *WARNINGS, "-I.", name, "-x", "none", "-o", program, *(flags or LIBRARIES), cwd=folder)
            for f in os.listdir(folder):
                if re.search(r"\.db(-\w+)?$", f):
                    os.remove(os.path.join(folder, f))
            now = self.run(program, cwd=folder)
            need(said is None or now == said, "C and C++ differ: %s" % now)
            said = now
        return said

    def check(self, name, function, *args):
        try:
            function(*args)
            print("ok " + name)
        except Wrong as e:
            self.failures += 1
            print("not ok " + name)
            for line in str(e).split("\n"):
                print("    " + line)
        sys.stdout.flush()

    # ---- code ------------------------------------------------------------------------------------------------------------

    def check_blocks(self):
        files, folder, previous = {}, None, None
        self.outputs, self.programs = {}, {}
        for b in self.blocks:
            if b.kind == "output" and not b.name:
                need(previous is not None and previous.kind == "fragment", "line %d: no fragment stands before this output" % b.line)
                previous.output = b
            previous = b
        stars = [b for b in self.blocks if b.kind == "ini" and b.name == "stars"]
        for b in self.blocks:
            where = "line %d: %s" % (b.line, b.listed or b.language)
            if b.kind == "output" and not b.name:
                continue
            if b.kind == "file":
                files[b.name] = b.text
            self.check(where, self.check_block, b, files, stars)
        for name in self.programs:
            self.check("the output of %s is shown" % name, lambda n: need(n in self.outputs, "no output of it is shown"), name)

    def check_block(self, b, files, stars):
        need(b.language in ("c", "cpp", "ini", "sh", "text"), "a block of no known language: %r" % b.language)
        expected = {"c": ("program", "unit", "fragment"), "cpp": ("fragment",), "ini": ("file", "ini"), "sh": ("", "build"), "text": ("output",)}
        need(b.kind in expected[b.language], "the line before it must say one of:", ", ".join(expected[b.language]))
        if b.language == "ini":
            self.write(self.work, "one.ini", b.text)
            names = re.findall(r"^\[databases\.([\w-]+)\]", b.text, re.M) if b.name == "five" else []
            self.run(self.loader(), "one.ini", *names)
        elif b.kind == "program":
            if b.same:
                need(read(b.same) == b.text, "the text differs from %s" % b.same)
            folder = self.fresh("program")
            for name, text in files.items():
                self.write(folder, name, text)
            self.programs[b.name] = (b.text, dict(files), self.build_and_run(folder, b.name, b.text, b.flags))
        elif b.kind == "unit":
            folder = self.fresh("unit")
            self.write(folder, b.name, b.text)
            self.run("gcc", "-std=c99", *WARNINGS, "-c", b.name, "-o", "unit.o", cwd=folder)
            self.write(folder, "main.c", '#include <stdio.h>\n#include "dbm.h"\nint main(void) { return puts(DBM_VERSION) < 0 || !dbm_compiled_with("sqlite"); }\n')
            self.run("gcc", "-std=c99", *WARNINGS, "main.c", "unit.o", "-o", "program", *LIBRARIES, cwd=folder)
            self.run(os.path.join(folder, "program"), cwd=folder)
        elif b.kind == "build":
            need(b.name in self.programs, "no program %s was shown before" % b.name)
            text, at_hand, said = self.programs[b.name]
            folder = self.fresh("build")
            self.write(folder, b.name, text)
            for name, content in at_hand.items():
                self.write(folder, name, content)
            self.run("sh", "-e", "-c", b.text, cwd=folder)
            need(self.run("./" + os.path.splitext(b.name)[0], cwd=folder) == said, "it prints something else than before")
        elif b.kind == "output":
            need(b.name in self.programs, "no program %s was shown before" % b.name)
            self.outputs[b.name] = b.text
            need(self.programs[b.name][2] == b.text, "it prints:\n" + self.programs[b.name][2])
        elif b.kind == "fragment":
            need(b.name in WRAPPERS, "there is no wrapper %s" % b.name)
            folder = self.fresh("fragment")
            for one in stars:
                self.write(folder, "stars.ini", one.text)
            forms = [["gcc", "-std=c99"], ["gcc", "-std=c11"]] + ([] if b.name == "file" else [["g++", "-std=c++11", "-x", "c++"]])
            said = self.build_and_run(folder, "fragment.c", WRAPPERS[b.name].replace("@@", b.text), LIBRARIES, forms)
            shown = b.output.text if b.output is not None else ""
            need(said == shown, "it prints:\n" + said)
        else:
            for line in b.text.strip().split("\n"):
                words = line.split()
                need(shutil.which(words[0]), "there is no command %s" % words[0])
                for word in words[1:]:
                    if "/" in word or word.endswith((".sh", ".py")):
                        need(os.path.exists(os.path.join(ROOT, word)), "there is no file %s" % word)

    def loader(self):
        program = os.path.join(self.work, "loader")
        if not os.path.exists(program):
            folder = self.fresh("loading")
            self.write(folder, "loader.c", LOADER)
            switches, libraries = drivers()
            self.run("gcc", "-std=c99", *WARNINGS, "-I.", *switches, "loader.c", "-o", program, *libraries, "-lpthread", cwd=folder)
        return program

    # ---- tables ----------------------------------------------------------------------------------------------------------

    def check_sections(self):
        found = re.findall(r"^## (.*)$", re.sub(r"```.*?```", "", self.text, flags=re.S), re.M)
        need(found == SECTIONS, "the sections are", found, "and should be", SECTIONS)
        need(self.text.startswith("# dbm.h\n"), "the first line is the name")
        need("## Sessions\n\n*return rolls back; say `dbm_commit(s)` first.*\n" in self.text, "the first line about sessions says that return rolls back")

    def check_status_table(self):
        want = [["`%s`" % name, number, text] for name, number, text in status_list()]
        need(self.tables.get("statuses") == want, first_difference(self.tables.get("statuses"), want))

    def check_options_table(self):
        named = re.findall(r"^/\* (DBM_[A-Z0-9_]+(?:, DBM_[A-Z0-9_]+)*): ", read("dbm_config.h"), re.M)
        want = sorted(set(re.findall(r"DBM_\w+", " ".join(named)) + ["DBM_IMPLEMENTATION"]))
        found = [name for row in self.tables["options"] for name in re.findall(r"DBM_\w+", row[0])]
        need(sorted(found) == want, "the table has", sorted(set(found) - set(want)), "too many and lacks", sorted(set(want) - set(found)))
        for row in self.tables["options"]:
            for name in re.findall(r"DBM_\w+", row[0]):
                m = re.search(r"/\* (?:DBM_\w+, )*%s(?:, DBM_\w+)*: (?:.|\n)*?\n \* Where\s+(\w+)" % name, read("dbm_config.h"))
                where = m.group(1) if m else "that"
                need(row[2].split()[0] in (where, {"a": "one"}.get(where)), "%s: dbm_config.h says %r, README %r" % (name, where, row[2]))

    def check_config_table(self):
        rows = {r[0].strip("`"): r for r in self.tables["config"]}
        known = settings_table()
        need(list(sorted(rows)) == sorted(known), "too many:", sorted(set(rows) - set(known)), "lacking:", sorted(set(known) - set(rows)))
        for key, (kind, low, high, words) in known.items():
            unit, default, allowed = rows[key][2:]
            need(unit == {"TEXT": "text", "INT": "number", "TIME": "time", "WORD": "word", "SIZE": "size"}[kind] or key == "type", "%s: the unit is %s" % (key, unit))
            if kind == "INT" and key != "min_idle":
                need(allowed.startswith("%d to %d" % (low, high)), "%s: %d to %d is allowed, README says %s" % (key, low, high, allowed))
            if words:
                need([w.strip() for w in allowed.split(";")[0].split(",")] == words, "%s takes %s" % (key, words))
        self.check_in_force({k: r[3] for k, r in rows.items()})

    def check_sqlite_table(self):
        source = read("src", "adapters", "sqlite.c")
        rows = {r[0].strip("`"): r for r in self.tables["sqlite"]}
        known = re.search(r'define DBM__SQLITE_OPTIONS "(.*)"', source).group(1).split(",")
        need(sorted(rows) == sorted(known), "the keys are", known)
        for key, name in (("journal_mode", "journals"), ("synchronous", "syncs")):
            words = re.findall(r'"(\w+)"', re.search(r"%s\[\] = \{(.*?)\}" % name, source).group(1))
            need(rows[key][4].split(", ") == words, "%s takes %s" % (key, words))
            need(rows[key][3] == words[0], "%s is %s when not set" % (key, words[0]))
        self.check_in_force({k: r[3] for k, r in rows.items()})
        parameters = re.search(r"dbm__sqlite_uri_keys\[.*?\] = \{(.*?)\}", source, re.S).group(1)
        told = re.search(r"parameters of the URL \((.*?)\):", self.text, re.S).group(1)
        for name in re.findall(r'"(\w+)"', parameters):
            need(re.search(r"\b%s\b" % name, told), "the URL's parameter %s is not told" % name)

    def check_differences_table(self):
        """What tests/integration/differences.h lists, which the tests ask, and in its order."""
        source = read("tests", "integration", "differences.h").replace("\\\n", "")
        text = r'"((?:[^"\\]|\\.)*)"'
        want = [list(row) for row in re.findall(r"X\(\w+, " + r",\s*".join([text] * 5) + r"\)", source)]
        need(len(want) >= 5, "differences.h can't be read")
        need(self.tables.get("differences") == want, first_difference(self.tables.get("differences"), want))

    def check_in_force(self, defaults):
        """defaults: key -> what README or the manual says."""
        said = dict(line.split(" ", 1) for line in self.in_force().strip().split("\n"))
        unset = said["not_set"].split()
        said["busy_timeout"] = re.search(r'"busy_timeout"\);\n\s+int ms = (\d+);', read("src", "adapters", "sqlite.c")).group(1) # not to be seen from outside
        for key, told in defaults.items():
            if key in said:
                value = said[key]
                if key == "row_buffer":
                    told = {"m": 1 << 20, "k": 1 << 10}[told[-1]] * int(told[:-1])
                elif re.match(r"\d+(ms|s|min|h)$", told):
                    number, unit = re.match(r"(\d+)(\w+)", told).groups()
                    told = int(number) * {"ms": 1, "s": 1000, "min": 60000, "h": 3600000}[unit]
                need(str(told) == value, "%s is %s when not set, and not %s" % (key, value, told))
            elif key in unset:
                need(told in ("not set", "the backend's", "-"), "%s is not set by itself, not %s" % (key, told))
        need(said["journal_mode_of_a_new_file"] == "wal", "a new file is in mode %s" % said["journal_mode_of_a_new_file"])

    def in_force(self):
        if "in force" not in self.objects:
            self.objects["in force"] = self.build_and_run(self.fresh("in_force"), "in_force.c", IN_FORCE, LIBRARIES, [["gcc", "-std=c99"]])
        return self.objects["in force"]

    # ---- prose -----------------------------------------------------------------------------------------------------------

    def check_names(self):
        """Every dbm_ or DBM_ word of the prose and of the code is in dbm.h, or is one of the examples' own."""
        header = read("dbm.h") + read("dbm_config.h")
        names = set(re.findall(r"\bdbm_\w+|\bDBM_\w*[A-Z0-9]\b", self.text))
        names -= {"dbm_impl", "dbm_config"}
        known = set(re.findall(r"\w+", header))
        for name in sorted(names):
            need(name in known or name.lower() == "dbm__databases__default__pool_size", "%s is nowhere in dbm.h" % name)

    def check_advice(self):
        """What the FAQ tells to add is what the header's own #error tells."""
        advice = re.search(r"or add `(-D\w+=\w+)`", self.text)
        need(advice and advice.group(1) in read("src", "api", "features.h"), "the FAQ's switch is not the one of src/api/features.h")

    def check_links(self):
        anchors = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", self.text, re.M)}
        for target in re.findall(r"\]\(([^)\s]+)\)", self.text):
            if target.startswith("#"):
                need(target[1:] in anchors, "no heading for %s" % target)
            elif not target.startswith("http"):
                need(os.path.exists(os.path.join(ROOT, target)), "no file %s" % target)

    def check_version(self):
        version = re.search(r'define DBM_VERSION\s+"(.*)"', read("src", "api", "types.h")).group(1)
        for name, text in (("README.md", self.text), ("CHANGELOG.md", read("CHANGELOG.md")), ("the manual", read("src", "api", "manual.h"))):
            need(re.search(r"\b%s\b" % re.escape(version), text), "%s does not name version %s" % (name, version))
            for other in re.findall(r"[Vv]ersion (\d+\.\d+\.\d+)", text):
                need(other == version, "%s speaks of version %s" % (name, other))
        entry = re.search(r"^## \[%s\] - (\d{4}-\d\d-\d\d)$" % re.escape(version), read("CHANGELOG.md"), re.M)
        need(entry, "CHANGELOG.md has no dated entry for %s" % version)
        time.strptime(entry.group(1), "%Y-%m-%d")

    # ---- the manual at the top of dbm.h ----------------------------------------------------------------------------------

    def manual(self):
        text = read("src", "api", "manual.h")
        lines = [re.sub(r"^(/\*| \*/?) ?", "", line) for line in text.split("\n")]
        parts, title = {"": []}, ""
        for line in lines:
            m = re.match(r"([A-Z][A-Z ]+)(,.*|:.*)?$", line)
            if m and line[:1].isupper() and len(m.group(1)) > 2 and not line.startswith(("GENERATED", " ")):
                title = m.group(1).strip()
                parts[title] = []
            else:
                parts[title].append(line)
        return text, {k: "\n".join(v) for k, v in parts.items()}

    def check_manual(self):
        text, parts = self.manual()
        need(text.count("\n") <= 450, "the manual has more than 450 lines")
        order = ["DO THIS", "CONTENTS", "STEP BY STEP", "OPTIONS", "CONFIGURATION", "URLS", "LEAVING A SESSION", "POOLS AND THREADS", "ASYNC", "ERRORS",
                 "MEMORY", "WRITING AN ADAPTER", "EMBEDDED"]
        need([p for p in parts if p] == order, "its parts are", list(parts))
        need("dbm.h DOES NOT" in text, "it says what dbm.h does not")
        tags = set(re.findall(r">>[a-z-]+", parts["CONTENTS"]))
        there = set()
        for name in os.listdir(os.path.join(ROOT, "src", "api")):
            if name != "manual.h":
                there |= set(re.findall(r"\* (>>[a-z-]+)", read("src", "api", name)))
        need(tags == there, "tags that are nowhere:", sorted(tags - there), "tags that it lacks:", sorted(there - tags))
        program = re.sub(r"^    ", "", parts["STEP BY STEP"].strip("\n"), flags=re.M) + "\n"
        need(len([l for l in program.split("\n") if l.strip()]) <= 28, "STEP BY STEP is longer than 28 lines")
        said = self.build_and_run(self.fresh("manual"), "step.c", program, LIBRARIES)
        need(said == "1 Ada\n", "STEP BY STEP prints", said)
        six = "\n".join(re.findall(r"^    (#.*)$", parts["DO THIS"], re.M)) + "\n"
        folder = self.fresh("six")
        self.write(folder, "six.c", six + "int main(void) { return !dbm_compiled_with(\"sqlite\"); }\n")
        self.run("gcc", "-std=c99", *WARNINGS, "-I.", "six.c", "-o", "six", *LIBRARIES, cwd=folder)
        self.run("./six", cwd=folder)
        six = "\n".join(re.findall(r"^    (#.*)$", parts["EMBEDDED"], re.M)) + "\n"
        self.write(folder, "embedded.c", six.replace("#include", "long board_clock_us(void);\nlong board_clock_us(void) { return 1; }\n#include")
                   + "int main(void) { return !dbm_compiled_with(\"sqlite\"); }\n")
        self.run("gcc", "-std=c99", *WARNINGS, "-I.", "embedded.c", "-o", "embedded", "-lsqlite3", cwd=folder)
        self.run("./embedded", cwd=folder)

    def check_manual_tables(self):
        parts = self.manual()[1]
        found = re.findall(r"^    +(\d+)  (DBM_\w+) +(.*)$", parts["ERRORS"], re.M)
        want = [(number, name, text) for name, number, text in status_list()]
        need(found == want, first_difference(found, want))
        rows = dict(re.findall(r"^    (\w+) +(\S+)(?: .*)?$", parts["CONFIGURATION"], re.M))
        rows.pop("key")
        known = list(settings_table())
        for name in sorted(os.listdir(os.path.join(ROOT, "src", "adapters"))):
            for keys in re.findall(r'define DBM__\w+_OPTIONS "(.*)"', read("src", "adapters", name)):
                known += keys.split(",")
        need(sorted(rows) == sorted(known), "too many:", sorted(set(rows) - set(known)), "lacking:", sorted(set(known) - set(rows)))
        self.check_in_force(rows)
        statuses = [name for name, _, _ in status_list()]
        for name in re.findall(r"\b(?:dbm_\w+|DBM_\w*[A-Z0-9]\b)", self.manual()[0]):
            need(name in ("dbm_config", "DBM_CONTENT_HASH") or re.search(r"\b%s\b" % name, read("dbm.h").split(" */\n", 1)[1] + read("dbm_config.h"))
                 or name in statuses or name.startswith("DBM__DATABASES"), "%s is nowhere in dbm.h" % name)

    def check_licence(self):
        text = re.sub(r"^(/\*| \*/?) ?", "", read("src", "api", "licence.h"), flags=re.M).strip()
        need(text == read("LICENSE").strip(), "src/api/licence.h and LICENSE differ")
        need(read("dbm.h").rstrip().endswith(read("src", "api", "licence.h").rstrip()), "the licence is not the last of dbm.h")

    # ---- the checks themselves -------------------------------------------------------------------------------------------

    def check_lies(self):
        """A README that says something else than the source is refused by the check that is there for it."""
        lies = (("| `pool_size` | connections that stay open once opened | number | 5 |",
                 "| `pool_size` | connections that stay open once opened | number | 6 |", self.check_config_table),
                ("| time | 30s | 0: not at all |", "| time | 31s | 0: not at all |", self.check_config_table),
                ("`pool_size`", "`poolsize`", self.check_config_table),
                ("true, always, false", "true, false", self.check_config_table),
                ("| 64m |", "| 65m |", self.check_config_table),
                ("auto, wal, delete,", "auto, delete,", self.check_sqlite_table),
                ("| time | 5s |", "| time | 4s |", self.check_sqlite_table),
                ("| BIGINT UNSIGNED holds it |", "| `DBM_E_RANGE` |", self.check_differences_table),
                ("| 15 |", "| 14 |", self.check_status_table),
                ("no row matched", "no row", self.check_status_table),
                ("`DBM_NO_ENV`", "`DBM_NO_ENVIRONMENT`", self.check_options_table),
                ("| `DBM_NO_GENERIC` | calls without `_Generic`: values by constructors, `DBM_ON(db)` | every file |",
                 "| `DBM_NO_GENERIC` | calls without `_Generic` | implementation |", self.check_options_table),
                ("dbm_query_one", "dbm_query_first", self.check_names),
                ("(CHANGELOG.md)", "(CHANGES.md)", self.check_links),
                ("Version 0.2.0", "Version 0.3.0", self.check_version),
                ("## Errors\n", "## Failures\n", self.check_sections),
                ("*return rolls back;", "*return commits;", self.check_sections))
        text, tables = self.text, self.tables
        try:
            for truth, lie, check in lies:
                need(truth in text, "the text is gone in which to lie: " + truth)
                self.text = text.replace(truth, lie)
                self.tables = tables_of(self.text)
                try:
                    check()
                except Wrong:
                    continue
                raise Wrong("nobody noticed: " + lie)
        finally:
            self.text, self.tables = text, tables

    def all(self):
        self.check("every block can be read", lambda: self.blocks.extend(blocks_of(self.text)))
        self.check("sections", self.check_sections)
        self.check("the table of statuses", self.check_status_table)
        self.check("the table of switches", self.check_options_table)
        self.check("the table of keys", self.check_config_table)
        self.check("the table of SQLite's keys", self.check_sqlite_table)
        self.check("the table of differences", self.check_differences_table)
        self.check("names", self.check_names)
        self.check("links", self.check_links)
        self.check("advice", self.check_advice)
        self.check("wrong tables are noticed", self.check_lies)
        self.check("version", self.check_version)
        self.check("the manual", self.check_manual)
        self.check("the manual's tables", self.check_manual_tables)
        self.check("the licence", self.check_licence)
        self.check_blocks()
        return self.failures == 0


def drivers():
    """The switches with the flags of their headers, and the libraries, of every backend that src/adapters/ has."""
    said = subprocess.run(["sh", "-c", '. tests/drivers.sh; find_drivers .; echo "$BACKENDS $DRIVER_CFLAGS"; echo "$DRIVER_LIBS"'], cwd=ROOT,
                          check=True, capture_output=True, text=True).stdout.split("\n")
    return [w for w in said[0].split() if w not in ("-DDBM_WITH_SQLITE", "-DDBM_WITH_INI")], said[1].split() # the prologue has these two


def status_list():
    text = read("src", "api", "types.h")
    text = text[text.index("#define DBM_STATUS_LIST"):text.index("typedef enum dbm_status")]
    return [("DBM_" + name, number, words) for name, number, words in re.findall(r'X\((\w+),\s+(\d+), "([^"]*)"\)', text)]


def settings_table():
    """key -> kind, lowest, highest, words; from src/config/settings.c."""
    text = read("src", "config", "settings.c")
    limit = int(re.search(r"DBM__SET_LIMIT = (\d+)", text).group(1))
    body = text[text.index("dbm__setting_table[DBM__SET_COUNT] = {"):]
    body = body[:body.index("};")]
    words = {}
    for name, inside in re.findall(r"dbm__setting_words_(\w+)\[\] = \{(.*?)\};", text, re.S):
        words[name] = re.findall(r'"([^"]+)"', inside)
    listed = {n: int(c) for c, n in re.findall(r"\*listed = (\d+); return dbm__setting_words_(\w+);", text)}
    of_key = {"pool_pre_ping": "pre_ping", "pool_reset_on_return": "reset", "isolation_level": "isolation", "echo": "echo", "tls": "tls"}
    result = {}
    for line in re.findall(r"\{ (\".*?) \}", body):
        key = re.match(r'"(\w+)"', line).group(1)
        macro = re.search(r"DBM__SET_(N|MS|S|X)\(|DBM__SET_INT", line)
        kind = {"N": "INT", "MS": "TIME", "S": "TEXT", None: "INT"}.get(macro.group(1)) or re.search(r"DBM__SET_(WORD|SIZE)", line).group(1)
        low = high = 0
        if kind == "INT":
            numbers = re.search(r"(?:\)|DBM__SET_INT, 0),\s*(\d+), (DBM__SET_LIMIT|\d+)", line)
            low, high = int(numbers.group(1)), limit if numbers.group(2) == "DBM__SET_LIMIT" else int(numbers.group(2))
        list_name = of_key.get(key)
        result[key] = (kind, low, high, words[list_name][:listed[list_name]] if list_name else [])
    return result


def first_difference(have, want):
    for i, w in enumerate(want):
        h = have[i] if have and i < len(have) else None
        if h != w:
            return "row %d is %s and should be %s" % (i + 1, h, w)
    return "there are rows too many"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--readme", default=os.path.join(ROOT, "README.md"))
    options = p.parse_args()
    work = tempfile.mkdtemp(prefix="dbm-readme.", dir=os.environ.get("DBM_TEST_TMP"))
    try:
        return 0 if Readme(options.readme, work).all() else 1
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
