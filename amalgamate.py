#!/usr/bin/env python3
"""Builds dbm.h, the one file that users copy, from the rooms below src/.

    python3 amalgamate.py                      writes dbm.h (and src/api/prefix.h), when their bytes differ
    python3 amalgamate.py --check              fails when dbm.h is stale or was edited by hand, and says where to edit
    python3 amalgamate.py --only sqlite -o F   leaves out the code of all other adapters ("none": of all of them)
    python3 amalgamate.py --bundle DIR/sqlite3.c,DIR/ini.c -o F
                                               adds your own copies of C files behind the implementation
    python3 amalgamate.py --split DIR          writes DIR/dbm.h, declarations only, and DIR/dbm.c
    python3 amalgamate.py --list               the adapters, and the rooms with their line counts
    python3 amalgamate.py --prefix-list        writes src/api/prefix.h alone: the names that DBM_PREFIX renames

The manifest, src/dbm.h.in, says what is inlined and in which order. Every #include "file" that names a file below src/ is
replaced by that file where it first appears, and dropped where it appears again; everything else is copied byte for byte.
Nothing is rewritten. The same src/ always gives the same bytes.

The half behind DBM_IMPLEMENTATION goes without what serves the maintainers of src/ alone, because dbm.h must stay under 32,000
lines: the head of each file (what it is for, what it may call, what it must not know), to which the banner above its code leads,
blank lines, and the rulers between a file's sections; and declarations of functions that are defined before anything calls them:
a comment above one stands above the definition. The braces that close functions and their blocks stand behind the last statement of these, and what then
fits one line stands on one, as do variables that have no value yet. Longer heads, which draw a state machine or tell an invariant, all other comments, and the public half
stay whole.
"""

import argparse
import difflib
import hashlib
import os
import re
import sys

MANIFEST = "dbm.h.in"
MANUAL = "api/manual.h"
OPTIONS = "api/options.h"
PREFIX = "api/prefix.h"
ADAPTERS = "adapters/"
CONFIG = "dbm_config.h"
HASH_TOKEN = "@DBM_CONTENT_HASH@"
HASH_DIGITS = 16
MAX_LINES = 32000
MAX_COLUMNS = 150

# Quoted includes that belong to the user, not to src/.
USERS_OWN_HEADERS = {CONFIG}
# A user-facing macro that is not a switch of dbm_config.h: it must only be in the manual.
NOT_IN_CONFIG = {"DBM_IMPLEMENTATION"}
# The symbol that makes the linker say what is wrong when two files define DBM_IMPLEMENTATION.
ONLY_ONE = "dbm__only_one_file_may_define_DBM_IMPLEMENTATION"
# The head of a file of src/, when it is no longer than the house rules ask for.
HEAD = re.compile(r"/\*(?:(?!\*/|\n \*\n).)*\n \* May call: (?:(?!\*/|\n \*\n).)*\n \* Must not know: (?:(?!\*/|\n \*\n).)*\*/\n", re.S)
CLOSERS = re.compile(r" *\}+$")
# A block that begins, and the one line that it has, or the second of two, with what closes it; a loop's or a case's end behind a statement.
OPENED = re.compile(r"(?! *(?:#|/\*|\*))[^\"']*\{$")
CLOSED = re.compile(r" *(?=\S)(?!case |default:|#|\}|/\*)[^\"'{}]*; \}+$")
BREAKS = re.compile(r" *break;( \})*$")
BRANCHED = re.compile(r" *(?:if|else|for|while)\b.*; *\\$")  # gcc takes what stands behind for misleading
STATEMENT = re.compile(r" *(?=\S)(?!(?:if|for|while|do|else|switch|case|default)\b)[^\"'#{}/]*;$")
# Variables of a function that have no value yet.
VARIABLES = re.compile(r"(?: +(?!return |goto |typedef |else )(?:const |unsigned )?\w+ \**\w+(?:\[\w+\])?(?:, \**\w+(?:\[\w+\])?)*;)+$")
# The declaration of a function of dbm.h's own, on one line: its name, and what is before it.
DECLARED = re.compile(r"(DBM__FN [\w *]*?)\b(dbm__\w+)\([^()]*\);$")
# A line that names the section of a file that begins.
RULER = re.compile(r"/\* -{4} .* -{4,} \*/$")
# The four things that dbm_config.h says about every switch.
CONFIG_FIELDS = ("Values", "Where", "Requires", "Costs")
# Which switch asks for the code that a bundled C file serves; other files are compiled always.
BUNDLE_SWITCH = {"sqlite3.c": "DBM_HAS_SQLITE", "ini.c": "DBM_HAS_INI"}


class Refusal(Exception):
    """Why nothing was written: one or more problems, each with place, fact, reason and remedy."""

    def __init__(self, problems):
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


class Problem:
    def __init__(self, where, what, why, fix):
        self.where, self.what, self.why, self.fix = where, what, why, fix

    def __str__(self):
        return "%s: %s\n    why: %s\n    fix: %s" % (self.where, self.what, self.why, self.fix)


def refuse(where, what, why, fix):
    raise Refusal([Problem(where, what, why, fix)])


# ---- files ------------------------------------------------------------------------------------------------------------

def read_bytes(path):
    with open(path, "rb") as f:
        return f.read()


def adapter_of(rel):
    """The adapter that a file is of: adapters/x.c, x.h and x_*.c are x's; None: nobody's, or that of all."""
    m = re.match(re.escape(ADAPTERS) + r"([^_./]+)[^/]*\.[ch]$", rel)
    return m.group(1) if m and m.group(1) != "adapters" else None


def read_text(path):
    """Every byte becomes one character and comes back as the same byte, whatever the encoding."""
    return read_bytes(path).decode("latin-1")


def write_if_different(path, text):
    """Returns whether it wrote. A build system that looks at times then sees changes only."""
    data = text.encode("latin-1")
    if os.path.isfile(path) and read_bytes(path) == data:
        return False
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
    return True


# ---- a small reader of C: just enough to know directives from comments and texts ------------------------------------

def without_comments(text):
    """The text with every comment blanked out, line for line, so that no line of a comment is empty; and the line of a comment that
    never ends, or None. Texts in quotes stay, because #include needs them; they only hide what looks like a comment in them."""
    out = []
    i, line, size = 0, 1, len(text)
    while i < size:
        c = text[i]
        pair = text[i:i + 2]
        if pair == "/*":
            end = text.find("*/", i + 2)
            comment = text[i:] if end < 0 else text[i:end + 2]
            out.append(re.sub(r"[^\n]", " ", comment).replace("\n", " \n"))
            if end < 0:
                return "".join(out), line
            line += comment.count("\n")
            i = end + 2
        elif pair == "//":
            end = text.find("\n", i)
            end = size if end < 0 else end
            out.append(" " * (end - i))
            i = end
        elif c in "\"'":
            j = i + 1
            while j < size and text[j] not in c + "\n":
                j += 2 if text[j] == "\\" else 1
            j = min(j + 1, size) if text[j:j + 1] == c else min(j, size)
            out.append(text[i:j])
            line += text.count("\n", i, j)
            i = j
        else:
            if c == "\n":
                line += 1
            out.append(c)
            i += 1
    return "".join(out), None


class Line:
    """One logical line without comments: `name` is the directive's, or None for a line of code."""

    def __init__(self, number, last, name, rest):
        self.number, self.last, self.name, self.rest = number, last, name, rest


def logical_lines(bare):
    """The lines of a text without comments; a backslash at the end joins the next line."""
    lines = bare.split("\n")
    result = []
    i = 0
    while i < len(lines):
        first, text = i, lines[i]
        while text.rstrip().endswith("\\") and i + 1 < len(lines):
            i += 1
            text = text.rstrip()[:-1] + " " + lines[i]
        m = re.match(r"\s*#\s*([a-z_]+)\b(.*)", text, re.S)
        if m:
            result.append(Line(first + 1, i + 1, m.group(1), m.group(2).strip()))
        elif text.strip():
            result.append(Line(first + 1, i + 1, None, text.strip()))
        i += 1
    return result


OPENERS = ("if", "ifdef", "ifndef")
BRANCHES = ("elif", "else", "elifdef", "elifndef")


def find_guard(lines):
    """The name of an include guard: #ifndef X first, #define X second, and its #endif last."""
    if len(lines) < 3 or lines[0].name != "ifndef" or lines[1].name != "define" or lines[-1].name != "endif":
        return None
    name = lines[0].rest
    if lines[1].rest.split("(")[0].strip() != name:
        return None
    depth = 0
    for line in lines:
        if line.name in OPENERS:
            depth += 1
        elif line.name == "endif":
            depth -= 1
            if depth == 0:
                return name if line is lines[-1] else None
    return None


class Source:
    """One file: its text, its lines, and what is wrong with it on its own."""

    def __init__(self, shown, text):
        self.shown = shown
        self.text = text
        self.lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
        bare, self.open_comment = without_comments(text)
        self.bare = bare
        self.logical = logical_lines(bare)
        self.guard = find_guard(self.logical)

    def for_maintainers(self):
        """The numbers of the lines that the implementation half does without: the head, rulers, and lines that are empty in code."""
        head = HEAD.match(self.text)
        numbers = set(range(1, head.group().count("\n") + 1)) if head else set()
        above = ""
        for number, (line, bare) in enumerate(zip(self.lines, self.bare.split("\n")), 1):
            if (not line and not bare and not above.endswith("\\")) or RULER.match(line):
                numbers.add(number)
            above = line
        return numbers

    def closers(self, directives):
        """The numbers of the lines that only close blocks, behind a line of code that they can stand on."""
        bare = self.bare.split("\n")
        of_directives = {n for d in directives.values() for n in range(d.number, d.last + 1)}
        return {number for number in range(2, len(self.lines) + 1)
                if CLOSERS.match(self.lines[number - 1]) and bare[number - 1] == self.lines[number - 1] and bare[number - 2].strip()
                and number not in of_directives and number - 1 not in of_directives}

    def problems(self):
        """The house rules that keep dbm.h the same everywhere: LF, no tabs, ASCII, balanced conditionals."""
        found = []

        def add(line, what, why, fix):
            found.append(Problem("%s:%d" % (self.shown, line), what, why, fix))

        def line_of(position):
            return self.text.count("\n", 0, position) + 1

        for pattern, what, why, fix in (
                ("\r", "a line ends in CRLF", "dbm.h must have the same bytes on every system",
                 "save the file with LF line ends"),
                ("\t", "a tab", "tabs look different in every editor, and dbm.h is read in all of them",
                 "use 4 spaces"),
                (r"[^\x09\x0a\x0d\x20-\x7e]", "a character that is not ASCII",
                 "not every compiler and editor reads the same encoding", "write it in ASCII")):
            m = re.search(pattern, self.text)
            if m:
                add(line_of(m.start()), what, why, fix)
        if self.text and not self.text.endswith("\n"):
            add(len(self.lines), "the last line has no line end", "the next file would begin on the same line",
                "end the file with a newline")
        if self.open_comment is not None:
            add(self.open_comment, "a comment that never ends", "it would swallow all files behind this one",
                "close it with */")
        stack = []
        for line in self.logical:
            if line.name in OPENERS:
                stack.append(line)
            elif line.name in BRANCHES and not stack:
                add(line.number, "#%s without #if" % line.name, "each file must stand on its own", "open it with #if")
            elif line.name == "endif":
                if stack:
                    stack.pop()
                else:
                    add(line.number, "#endif without #if", "each file must stand on its own", "remove it, or open it with #if")
        for line in stack:
            add(line.number, "#%s is never closed" % line.name, "it would hide or break all files behind this one",
                "close it with #endif in the same file")
        return found


# ---- conditionals as a tree: which macros does a file ask about? ----------------------------------------------------

class Branch:
    def __init__(self, condition):
        self.condition = condition  # its text, "" for #else
        self.body = []              # Line or Conditional


class Conditional:
    def __init__(self):
        self.branches = []


def condition_of(line):
    if line.name in ("ifdef", "elifdef"):
        return "defined(%s)" % line.rest
    if line.name in ("ifndef", "elifndef"):
        return "!defined(%s)" % line.rest
    return line.rest if line.name != "else" else ""


def parse_conditionals(logical):
    top = Branch("")
    stack = [(None, top)]
    for line in logical:
        if line.name in OPENERS:
            conditional = Conditional()
            stack[-1][1].body.append(conditional)
            branch = Branch(condition_of(line))
            conditional.branches.append(branch)
            stack.append((conditional, branch))
        elif line.name in BRANCHES and len(stack) > 1:
            conditional = stack.pop()[0]
            branch = Branch(condition_of(line))
            conditional.branches.append(branch)
            stack.append((conditional, branch))
        elif line.name == "endif":
            if len(stack) > 1:
                stack.pop()
        else:
            stack[-1][1].body.append(line)
    return top


def only_errors(body):
    """Whether a branch does nothing but refuse: then its condition is not an option, but a mistake that is answered."""
    for item in body:
        if isinstance(item, Conditional):
            if not all(only_errors(b.body) for b in item.branches):
                return False
        elif item.name != "error":
            return False
    return bool(body)


MACRO = re.compile(r"\bDBM_(?!_)[A-Z0-9_]+\b")


class Options:
    """The user-facing switches that src/ knows: every DBM_X that a condition asks about and that src/ does not set itself.
    Names that only lead to #error are mistakes, and names that only stand for another one are aliases of it."""

    def __init__(self):
        self.tested = {}     # name -> "src/file:line" of a place that asks
        self.aliases = {}    # near spelling -> name
        self.set_here = set()
        self.overridable = set()
        self.guards = set()

    def add(self, source):
        if source.guard:
            self.guards.add(source.guard)
        self._walk(source, parse_conditionals(source.logical), [])

    def _walk(self, source, branch, conditions):
        for item in branch.body:
            if isinstance(item, Conditional):
                for b in item.branches:
                    alias = self._alias(b)
                    if alias:
                        self.aliases[alias[1]] = alias[0]
                    elif not only_errors(b.body):
                        for name in MACRO.findall(b.condition):
                            self.tested.setdefault(name, source.shown)
                    self._walk(source, b, conditions + [b.condition])
            elif item.name == "define":
                name = re.match(r"\w*", item.rest).group()
                self.set_here.add(name)
                if any(re.search(r"!\s*defined\s*\(?\s*%s\b" % re.escape(name), c) for c in conditions):
                    self.overridable.add(name)

    @staticmethod
    def _alias(branch):
        """A branch that holds only `#define DBM_WITH_A DBM_WITH_B`, asked for by DBM_WITH_B: (A, B)."""
        if len(branch.body) != 1 or isinstance(branch.body[0], Conditional) or branch.body[0].name != "define":
            return None
        words = branch.body[0].rest.split()
        if len(words) == 2 and all(w.startswith("DBM_WITH_") for w in words) and words[1] in branch.condition:
            return words[0], words[1]
        return None

    def names(self):
        """name -> place, of every option; and alias -> option."""
        options = {}
        for name, place in sorted(self.tested.items()):
            if name in self.guards or name == "DBM_CONFIG_H":
                continue
            if name in self.set_here and name not in self.overridable:
                continue
            options[name] = place
        aliases = {a: n for a, n in sorted(self.aliases.items()) if n in options}
        for a in aliases:
            options.pop(a, None)
        return options, aliases


# ---- the tree ----------------------------------------------------------------------------------------------------------

class Tree:
    """The repository: src/ read and checked."""

    def __init__(self, root):
        self.root = root
        self.src = os.path.join(root, "src")
        if not os.path.isfile(os.path.join(self.src, MANIFEST)):
            refuse("src/" + MANIFEST, "there is no manifest", "it says what dbm.h is made of",
                   "run amalgamate.py where it lies, beside src/, or name the place with --root")
        self.files = {}
        for folder, folders, names in os.walk(self.src):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                rel = os.path.relpath(path, self.src).replace(os.sep, "/")
                if rel == MANIFEST or name.endswith((".c", ".h")):
                    self.files[rel] = Source("src/" + rel, read_text(path))

    def adapters(self):
        return sorted({adapter_of(rel) for rel in self.files} - {None})

    def check_files(self):
        problems = []
        for rel in self.files:
            problems += self.files[rel].problems()
        if problems:
            raise Refusal(problems)

    # -- options: src/, dbm_config.h and the manual name the same ones --

    def options(self):
        options = Options()
        for rel, source in self.files.items():
            if rel != MANIFEST:
                options.add(source)
        return options.names()

    def check_options(self):
        options, aliases = self.options()
        path = os.path.join(self.root, CONFIG)
        if not os.path.isfile(path):
            refuse(CONFIG, "the file is missing", "it lists every switch for users", "restore it")
        config = Source(CONFIG, read_text(path))
        manual = self.files[MANUAL].text if MANUAL in self.files else ""
        problems = config.problems()

        def add(where, what, why, fix):
            problems.append(Problem(where, what, why, fix))

        # Entries begin with `/* NAME: ` or `/* NAME, NAME: `.
        listed = {}
        for m in re.finditer(r"/\*\s+(DBM_[A-Z0-9_]+(?:,\s+DBM_[A-Z0-9_]+)*):\s(.*?)\*/", config.text, re.S):
            line = config.text.count("\n", 0, m.start()) + 1
            for name in re.findall(r"\w+", m.group(1)):
                listed[name] = line
            for field in CONFIG_FIELDS:
                if not re.search(r"^ \* %s\s+\S" % field, m.group(2), re.M):
                    add("%s:%d" % (CONFIG, line), "%s says nothing under %s" % (m.group(1), field),
                        "users decide by these four lines", "add ` * %s ...`" % field)
        for name, place in options.items():
            if name in NOT_IN_CONFIG:
                pass
            elif name not in listed:
                add(place, "the option %s is not in %s" % (name, CONFIG), "users find options there, or not at all",
                    "add an entry `/* %s: ... */` with %s" % (name, ", ".join(CONFIG_FIELDS)))
            if not re.search(r"\b%s\b" % name, manual):
                add(place, "the option %s is not in the manual" % name, "dbm.h alone must tell about every option",
                    "describe it in src/" + MANUAL)
        for alias, name in aliases.items():
            if not re.search(r"\b%s\b" % alias, config.text):
                add("src/" + OPTIONS, "%s, another spelling of %s, is not in %s" % (alias, name, CONFIG),
                    "users find options there, or not at all", "name it in the entry of " + name)
        code = "\n".join(s.bare for s in self.files.values())
        for name, line in listed.items():
            if not re.search(r"\b%s\b" % name, code):
                add("%s:%d" % (CONFIG, line), "nothing in src/ knows %s" % name, "a switch that does nothing misleads",
                    "remove the entry, or correct its spelling")
        # As shipped it changes nothing: only its own guard is active.
        active = [(l.name, l.rest) for l in config.logical]
        if active != [("ifndef", "DBM_CONFIG_H"), ("define", "DBM_CONFIG_H"), ("endif", "")]:
            add(CONFIG, "something but the guard DBM_CONFIG_H is active", "the shipped file must change nothing",
                "put every #define into a comment")
        if problems:
            raise Refusal(problems)

    # -- DBM_PREFIX --

    def public_names(self):
        """Every name that the implementation exports: declared DBM_API, or defined DBM__DEF. Names that are macros of the same
        name can't be renamed by another macro and are left out."""
        names, macros = {ONLY_ONE}, set()
        for rel, source in self.files.items():
            if rel == PREFIX:
                continue
            # Directives are blanked out: a macro's body is no declaration.
            lines = source.bare.split("\n")
            for line in source.logical:
                if line.name == "define":
                    macros.add(re.match(r"\w*", line.rest).group())
                if line.name:
                    for i in range(line.number - 1, line.last):
                        lines[i] = ""
            code = "\n".join(lines)
            for m in re.finditer(r"\b(?:DBM_API|DBM__DEF)\b([^;{=]*)[;{=]", code):
                declared = re.search(r"\b(dbm_\w+)\s*\(", m.group(1)) or re.search(r"\b(dbm_\w+)\s*(?:\[[^]]*\]\s*)*$", m.group(1))
                if declared:
                    names.add(declared.group(1))
        return sorted(names - macros)

    def prefix_text(self):
        out = ["/* Another prefix for every exported name, so that copies of dbm.h can be linked into one program side by side:",
               " * with `#define DBM_PREFIX my_`, dbm_commit is my_dbm_commit for the linker and stays dbm_commit in the source.",
               " * May call: nothing. Generated by `amalgamate.py --prefix-list` from the declarations in src/.",
               " * Must not know: what any name is for. */",
               "#if defined(DBM_PREFIX)",
               "#  define DBM__JOIN2(a, b) a##b",
               "#  define DBM__JOIN(a, b) DBM__JOIN2(a, b)",
               "#  define DBM__PREFIXED(name) DBM__JOIN(DBM_PREFIX, name)"]
        out += ["#  define %s DBM__PREFIXED(%s)" % (n, n) for n in self.public_names()]
        out.append("#endif")
        return "\n".join(out) + "\n"

    def write_prefix(self):
        text = self.prefix_text()
        self.files[PREFIX] = Source("src/" + PREFIX, text)
        return write_if_different(os.path.join(self.src, PREFIX), text)

    def check_prefix(self):
        if PREFIX not in self.files:
            return
        have, want = self.files[PREFIX].text, self.prefix_text()
        if have != want:
            old, new = (set(re.findall(r"DBM__PREFIXED\((dbm_\w+)\)", t)) for t in (have, want))
            missing, gone = sorted(new - old), sorted(old - new)
            what = "it was edited by hand"
            if missing or gone:
                what = "; ".join(s for s in ("it lacks " + ", ".join(missing) if missing else "",
                                             "it has " + ", ".join(gone) + ", which src/ does not export" if gone else "") if s)
            refuse("src/" + PREFIX, what, "two copies with DBM_PREFIX would clash in the linker",
                   "run `python3 amalgamate.py --prefix-list`")


# ---- bundled files: the user's own copies ------------------------------------------------------------------------------

class Bundle:
    def __init__(self, paths):
        self.sources = []   # (name, path, text)
        self.headers = {}   # "sqlite3.h" -> text
        for path in paths:
            if not os.path.isfile(path):
                refuse(path, "there is no such file", "--bundle copies it into the header",
                       "give the path of your own copy, such as third_party/sqlite3.c")
            if not path.endswith(".c"):
                refuse(path, "this is not a .c file", "--bundle takes C files; the header of the same name beside one comes with it",
                       "name the .c file")
            name = os.path.basename(path)
            self.sources.append((name, path, read_text(path)))
            header = path[:-2] + ".h"
            if os.path.isfile(header):
                self.headers[os.path.basename(header)] = read_text(header)

    @staticmethod
    def marker(header):
        """The macro that tells src/ not to look for a header on the include path: sqlite3.h -> DBM__BUNDLED_SQLITE3_H."""
        return "DBM__BUNDLED_" + re.sub(r"\W", "_", header).upper()


# ---- the amalgam -------------------------------------------------------------------------------------------------------

class Amalgam:
    """Runs through the manifest. `out` holds the lines of the result, `origin` where each of them comes from."""

    def __init__(self, tree, only=None, bundle=None, split=False):
        self.tree, self.only, self.bundle, self.split = tree, only, bundle, split
        self.out, self.origin = [], []
        self.first = {}         # file -> the conditions under which it was inlined
        self.stack = []         # files being inlined
        self.conditions = []    # open conditionals, guards left out
        self.numbers = 0
        self.bundled = set()    # headers that were inlined
        self.declarations = None    # how many lines stand before the implementation
        self.implementing = False
        if only is not None:
            self._check_only()
        if bundle:
            self._check_bundle()
            self._preamble()
        self._inline(MANIFEST)
        left = [rel for rel in tree.files if rel not in self.first and rel != MANIFEST
                and (only is None or adapter_of(rel) in [None] + only)]
        if left:
            raise Refusal([Problem("src/" + rel, "nobody includes this file", "its code would be missing in dbm.h",
                                   "add it to src/%s, or remove it" % MANIFEST) for rel in left])

    def _emit(self, text, rel, number):
        self.out.append(text)
        self.origin.append((rel, number))

    # -- what --only and --bundle need to be sure of --

    def _check_only(self):
        known = self.tree.adapters()
        for name in self.only:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                refuse("--only " + name, "there is no adapter of this name" + ("; did you mean %s?" % near[0] if near else ""),
                       "adapters are the files in src/adapters: " + (", ".join(known) or "none"),
                       "name some of them, separated by commas, or `none`")

    def _check_bundle(self):
        for header in self.bundle.headers:
            for source in self.tree.files.values():
                if re.search(r"__has_include\s*\(\s*<%s>" % re.escape(header), source.bare) \
                        and Bundle.marker(header) not in source.bare:
                    refuse(source.shown, "it looks for <%s> without asking for %s" % (header, Bundle.marker(header)),
                           "with --bundle the header is inlined and need not be installed",
                           "add `&& !defined(%s)` to the condition" % Bundle.marker(header))

    def _preamble(self):
        """What must come before the first system header when other people's C files follow in the same translation unit."""
        if self.split:
            return
        for line in self._bundle_macros():
            self._emit(line, "--bundle", 0)

    def _bundle_macros(self):
        lines = ["/* This copy holds, behind its implementation: %s. */" % ", ".join(n for n, _, _ in self.bundle.sources)]
        lines += ["#if defined(DBM_IMPLEMENTATION)",
                  "#  if !defined(_GNU_SOURCE)",
                  "#    define _GNU_SOURCE /* asked for by the bundled files; only works before the first system header */",
                  "#  endif"]
        lines += ["#  define %s 1" % Bundle.marker(h) for h in sorted(self.bundle.headers)]
        lines.append("#endif")
        return lines

    # -- inlining --

    def _inline(self, rel, at=None):
        if rel in self.stack:
            chain = " -> ".join("src/" + f for f in self.stack[self.stack.index(rel):] + [rel])
            refuse(at, "files include each other: " + chain, "none of them can come first",
                   "move what both need to a file that neither includes")
        source = self.tree.files[rel]
        self.first[rel] = list(self.conditions)
        self.stack.append(rel)
        folder = os.path.dirname(rel)
        # The manual's first line is the first line of dbm.h, so it has no banner above it.
        banner = rel != MANIFEST
        headline = rel == MANUAL and all(o[0] in (MANIFEST, "--bundle") for o in self.origin)
        if banner and not headline:
            self._emit("/* --- src/%s --- */" % rel, rel, 1)
        depth = len(self.conditions)
        guard_level = 0 if source.guard else -1
        level = 0
        skip_to = 0
        directives = {line.number: line for line in source.logical if line.name}
        # What stands behind DBM_IMPLEMENTATION is there once by that; only what users include needs its guard.
        logical = [line for line in source.logical if line.name]
        guard = {line.number for line in (logical[0], logical[1], logical[-1])} if source.guard and self.declarations is not None else ()
        left_out = source.for_maintainers() if self.implementing else ()
        closers = source.closers(directives) if self.implementing else ()
        again = False           # another file has been inlined, and what follows is of this one again
        for number, text in enumerate(source.lines, 1):
            line = directives.get(number)
            if number <= skip_to or number in guard:
                if number in guard:
                    level += -1 if line.name == "endif" else line.name == "ifndef"
                continue
            if number in left_out:
                continue
            if again and text and (line is None or line.name != "include"):
                again = False
                if banner and line is not logical[-1]:
                    self._emit("/* --- src/%s again --- */" % rel, rel, number)
            if line is None:
                if self.implementing and number in closers:
                    self.out[-1] += " " + text.lstrip()
                else:
                    self._emit(text, rel, number)
                continue
            if line.name in OPENERS:
                if rel == MANIFEST and self.declarations is None and "DBM_IMPLEMENTATION" in line.rest:
                    self.declarations = len(self.out)
                    self.implementing = True
                if level != guard_level:
                    self.numbers += 1
                    self.conditions.append(self.numbers)
                level += 1
            elif line.name in BRANCHES and self.conditions:
                self.numbers += 1
                self.conditions[-1] = self.numbers
            elif line.name == "endif":
                level -= 1
                if rel == MANIFEST and level == 0 and self.implementing:
                    self.implementing = False
                    self._tighten()
                    if self.bundle:
                        self._append_bundle()
                if level != guard_level and len(self.conditions) > depth:
                    self.conditions.pop()
            emitted = len(self.out)
            if line.name == "include" and self._include(rel, folder, number, line):
                skip_to = line.last
                again = again or len(self.out) > emitted
                continue
            self._emit(text, rel, number)
        if rel == OPTIONS and self.only is not None:
            self._left_out()
        self.stack.pop()

    def _include(self, rel, folder, number, line):
        """Handles one #include; False: it is copied like any other line."""
        at = "src/%s:%d" % (rel, number)
        m = re.match(r'"([^"]+)"\s*$', line.rest)
        if m:
            name = m.group(1)
            target = os.path.normpath(os.path.join(folder, name)).replace(os.sep, "/")
            if target.startswith("../"):
                return False
            if target not in self.tree.files:
                if os.path.basename(name) in USERS_OWN_HEADERS:
                    return False
                near = difflib.get_close_matches(target, self.tree.files, 1)
                refuse(at, "there is no src/%s%s" % (target, "; did you mean src/%s?" % near[0] if near else ""),
                       "quoted names are files below src/, relative to the file that includes them",
                       "correct the name; other people's headers are included with <>")
            if target in self.stack:
                self._inline(target, at)
            if target in self.first:
                before = self.first[target]
                if self.conditions[:len(before)] != before:
                    refuse(at, "src/%s was inlined earlier, under a condition that need not hold here" % target,
                           "each file is inlined once, so its text could be missing here",
                           "include it first where no #if is open")
                return True
            if self.only is not None and adapter_of(target) not in [None] + self.only:
                self.first[target] = list(self.conditions)
                self._emit("/* --- left out: src/%s --- */" % target, rel, number)
                return True
            self._inline(target, at)
            return True
        m = re.match(r"<([^>]+)>\s*$", line.rest)
        if m and self.bundle and m.group(1) in self.bundle.headers:
            self._emit_bundled(m.group(1), self.bundle.headers[m.group(1)])
            self.bundled.add(m.group(1))
            return True
        return False

    def _left_out(self):
        """Behind the options: the switches of adapters that --only leaves out are answered, and off."""
        for name in self.tree.adapters():
            if name in self.only:
                continue
            switch = name.upper()
            command = "python3 amalgamate.py --only " + ",".join(sorted(self.only + [name]))
            for text in ("#if defined(DBM_IMPLEMENTATION) && defined(DBM_WITH_%s) && (7 - DBM_WITH_%s - 7)" % (switch, switch),
                         '#  error "dbm: DBM_WITH_%s: this dbm.h was made without the %s adapter; make one that has it: %s"'
                         % (switch, name, command),
                         "#endif",
                         "#undef DBM_HAS_" + switch,
                         "#define DBM_HAS_%s 0" % switch):
                self._emit(text, "--only", 0)

    # -- the implementation's layout --

    def _comment_above(self, bare, at):
        """The lines of the comment that stands above line `at` of the implementation; the banner of a file is none."""
        first, n = self.declarations, at
        while n > 0 and not bare[n - 1].strip() and not self.out[first + n - 1].startswith("/* --- "):
            n -= 1
        return range(n, at) if n < at and self.out[first + n].startswith("/*") else range(at, at)

    def _needless(self, bare):
        """The lines of declarations of what is defined before it is called, and those of the comments that move to the definition."""
        first = self.declarations
        seen, defined, gone, moved = {}, {}, set(), {}
        for at, line in enumerate(bare):
            for name in set(re.findall(r"\bdbm__\w+", line)):
                seen.setdefault(name, []).append(at)
            m = re.match(r"(DBM__FN [\w *]*?)\b(dbm__\w+)\(.*[{},]$", line)
            if m:
                defined.setdefault(m.group(2), []).append((at, m.group(1)))
        for at in range(len(bare)):
            m = DECLARED.match(self.out[first + at])
            if not m or len(defined.get(m.group(2), ())) != 1:
                continue
            definition = defined[m.group(2)][0]
            comment = self._comment_above(bare, at)
            if next(n for n in seen[m.group(2)] if n > at) != definition[0] or m.group(1) != definition[1]:
                continue
            if comment and (bare[at + 1].startswith("DBM__FN ") or self._comment_above(bare, definition[0])):
                continue  # it speaks of several, or there is one
            gone.update(comment, [at])
            moved[definition[0]] = comment
        return gone, moved

    def _tighten(self):
        """Leaves out needless declarations, and puts on one line what fits one."""
        first = self.declarations
        bare = without_comments("\n".join(self.out[first:]))[0].split("\n")
        gone, moved = self._needless(bare)
        out, origin = self.out[:first], self.origin[:first]
        half = function = macro = False
        for at, line in enumerate(bare):
            text = self.out[first + at]
            if at in gone:
                continue
            for n in moved.get(at, ()):
                out.append(self.out[first + n])
                origin.append(self.origin[first + n])
            above = out[-1]
            macro = line.startswith("#") or (macro and self.out[first + at - 1].endswith("\\"))
            if (macro and above.endswith(" \\") and text.strip() and above.count('"') % 2 == 0
                    and not BRANCHED.match(self.out[first + at - 1]) and len(above) - 1 + len(text.lstrip()) <= MAX_COLUMNS):
                out[-1] = above[:-1] + text.lstrip()
                continue
            size = len(above) + 1 + len(text.lstrip())
            after = self.out[first + at + 1] if text == line and OPENED.match(above) and STATEMENT.match(text) and at + 1 < len(bare) else ""
            two = after and after == bare[at + 1] and CLOSED.match(after) and size + 1 + len(after.lstrip()) <= MAX_COLUMNS
            if line[:1] not in ("", " ", "#"):
                function = line.endswith("{") and "(" in line
            if two or half or (text == line and size <= MAX_COLUMNS and (
                    (function and VARIABLES.match(above) and VARIABLES.match(text))
                    or (OPENED.match(above) and CLOSED.match(text)) or (STATEMENT.match(above) and BREAKS.match(text)))):
                out[-1] += " " + text.lstrip()
                half = bool(two)
            else:
                out.append(text)
                origin.append(self.origin[first + at])
        self.out, self.origin = out, origin

    # -- bundles --

    def _emit_bundled(self, name, text):
        self._emit("/* --- begin bundled %s --- */" % name, "--bundle", 0)
        for line in text.split("\n")[:-1] if text.endswith("\n") else text.split("\n"):
            self._emit(line, "--bundle", 0)
        self._emit("/* --- end bundled %s --- */" % name, "--bundle", 0)

    def _append_bundle(self):
        def emit(*lines):
            for line in lines:
                self._emit(line, "--bundle", 0)

        emit("#if defined(__cplusplus)",
             '#  error "dbm: this dbm.h holds bundled C files; put DBM_IMPLEMENTATION into a .c file, not into C++"',
             "#endif")
        if not self.split:
            # The rest of the header is other people's code: their warnings are not the user's.
            emit("#if defined(__GNUC__)", "#  pragma GCC system_header", "#elif defined(_MSC_VER)",
                 "#  pragma warning(push, 0)", "#endif")
        for name, path, text in self.bundle.sources:
            if BUNDLE_SWITCH.get(name):
                emit("#if " + BUNDLE_SWITCH[name])
            if name == "sqlite3.c" and "sqlite3.h" in self.bundle.headers and "SQLITE_AMALGAMATION" in text:
                # The amalgamation defines this one thing in its own copy of sqlite3.h, which is skipped as seen before.
                emit("const char sqlite3_version[] = SQLITE_VERSION;")
            emit("/* --- begin bundled %s --- */" % name)
            directives = {l.number: l for l in logical_lines(without_comments(text)[0]) if l.name == "include"}
            lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
            for number, line in enumerate(lines, 1):
                include = directives.get(number)
                m = re.match(r'["<]([^">]+)[">]\s*$', include.rest) if include else None
                beside = os.path.join(os.path.dirname(path), m.group(1)) if m else ""
                if m and m.group(1) in self.bundle.headers:
                    # Its own guard makes a second copy harmless, and the first may be under other conditions.
                    self._emit_bundled(m.group(1), self.bundle.headers[m.group(1)])
                elif m and include.rest.startswith('"') and os.path.isfile(beside):
                    self._emit_bundled(m.group(1), read_text(beside))
                else:
                    emit(line)
            emit("/* --- end bundled %s --- */" % name)
            if BUNDLE_SWITCH.get(name):
                emit("#endif")
        if not self.split:
            emit("#if !defined(__GNUC__) && defined(_MSC_VER)", "#  pragma warning(pop)", "#endif")

    # -- results --

    def text(self):
        return with_hash(self.out)

    def halves(self):
        """--split: the text of dbm.h, and of dbm.c."""
        if self.declarations is None:
            refuse("src/" + MANIFEST, "no #if asks for DBM_IMPLEMENTATION", "that is where --split cuts",
                   "put the implementation under `#if defined(DBM_IMPLEMENTATION) ...`")
        macros = self._bundle_macros() if self.bundle else []
        head = ["/* dbm.c: the implementation of dbm.h, which lies beside it. Made by `amalgamate.py --split`; do not edit.",
                " * Compile it with the switches that you want (-DDBM_WITH_SQLITE, or dbm_config.h) and link it once. */",
                "#if !defined(DBM_IMPLEMENTATION)",
                "#  define DBM_IMPLEMENTATION",
                "#endif"] + macros + ['#include "dbm.h"']
        return with_hash(self.out[:self.declarations]), "\n".join(head + self.out[self.declarations:]) + "\n"


def content_hash(lines):
    """The hash of a text, the line that holds the hash left out."""
    text = "".join(line + "\n" for line in lines)
    return hashlib.sha256(text.encode("latin-1")).hexdigest()[:HASH_DIGITS]


def with_hash(lines):
    digest = content_hash([line for line in lines if HASH_TOKEN not in line])
    return "".join(line.replace(HASH_TOKEN, digest) + "\n" for line in lines)


# ---- --check -----------------------------------------------------------------------------------------------------------

def hash_agrees(want, have):
    """Whether the hash in `have` is that of its own text: then nobody edited it by hand. None: it has no hash."""
    for i, line in enumerate(want.out):
        if HASH_TOKEN in line:
            before, after = line.split(HASH_TOKEN, 1)
            pattern = re.compile(re.escape(before) + r"([0-9a-f]{%d})" % HASH_DIGITS + re.escape(after) + "$")
            for j, text in enumerate(have):
                m = pattern.match(text)
                if m:
                    return content_hash(have[:j] + have[j + 1:]) == m.group(1)
            return False
    return None


def room_of(rel):
    return rel if "/" not in rel else "room " + rel.split("/")[0] + "/, file src/" + rel


def check_committed(tree, amalgam, path):
    if not os.path.isfile(path):
        refuse("dbm.h", "it does not exist", "users copy it, so it is committed", "run `python3 amalgamate.py`")
    have_text, want_text = read_text(path), amalgam.text()
    if have_text == want_text:
        return
    have, want = have_text.split("\n")[:-1], want_text.split("\n")[:-1]
    at = next((i for i, (a, b) in enumerate(zip(have, want)) if a != b and HASH_TOKEN not in amalgam.out[i]),
              min(len(have), len(want)))
    rel, number = amalgam.origin[min(at, len(want) - 1)]
    if at < len(want):
        # A line that was added at the end of a file stands before the next banner: the edit belongs to the file above.
        if is_banner(want[at]) and not is_banner(have[at] if at < len(have) else ""):
            rel, number = amalgam.origin[max(at - 1, 0)]
    # After an insertion or removal all later lines are shifted: compare the files between their banners instead.
    others = sorted(f for f in changed_files(have, want) if f != rel)
    by_hand = hash_agrees(amalgam, have) is False
    what = "dbm.h:%d differs from src/%s:%d (%s)" % (at + 1, rel, number, room_of(rel))
    if others:
        what += "; also " + ", ".join("src/" + f for f in others[:10]) + (" and more" if len(others) > 10 else "")
    if by_hand:
        refuse("dbm.h:%d" % (at + 1), "edited by hand: " + what, "dbm.h is generated, so the edit would be lost",
               "make the edit in src/%s, near line %d, and run `python3 amalgamate.py`" % (rel, number))
    refuse("dbm.h:%d" % (at + 1), "stale: " + what, "dbm.h must be what src/ says", "run `python3 amalgamate.py` and commit dbm.h")


def is_banner(line):
    return re.match(r"/\* --- src/(\S*)( again)? --- \*/$", line)


def changed_files(have, want):
    def chunks(lines):
        result, rel = {}, MANUAL
        for line in lines:
            m = is_banner(line)
            if m:
                rel = m.group(1)
            result.setdefault(rel, []).append(re.sub(r"[0-9a-f]{%d}" % HASH_DIGITS, "", line))
        return result
    a, b = chunks(have), chunks(want)
    return [f for f in set(a) | set(b) if a.get(f) != b.get(f)]


# ---- --list ------------------------------------------------------------------------------------------------------------

def listing(tree, amalgam):
    def count(rels):
        return sum(len(tree.files[r].lines) for r in rels)

    out = ["adapters"]
    for name in tree.adapters():
        out.append("    %-12s %6d lines   DBM_WITH_%s" % (name, count([rel for rel in tree.files if adapter_of(rel) == name]), name.upper()))
    out.append("rooms, in the order of the manifest")
    rooms = {}
    for rel in amalgam.first:
        if rel != MANIFEST:
            rooms.setdefault(rel.split("/")[0], []).append(rel)
    for room, rels in rooms.items():
        out.append("    %-12s %6d lines   %2d files" % (room + "/", count(rels), len(rels)))
    out.append("dbm.h         %7d lines, of %d at the most" % (len(amalgam.out), MAX_LINES))
    return "\n".join(out)


# ---- the command -------------------------------------------------------------------------------------------------------

def arguments(argv):
    p = argparse.ArgumentParser(prog="amalgamate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true", help="write nothing; fail when dbm.h is not what src/ says")
    p.add_argument("--only", metavar="A,B", help="the adapters to keep, or `none`")
    p.add_argument("--bundle", metavar="X.c,Y.c", help="your own copies of C files to add")
    p.add_argument("--split", metavar="DIR", help="write DIR/dbm.h and DIR/dbm.c")
    p.add_argument("--list", action="store_true", help="show adapters and rooms")
    p.add_argument("--prefix-list", action="store_true", help="write src/api/prefix.h")
    p.add_argument("-o", metavar="FILE", help="where to write (default dbm.h; - is the standard output)")
    p.add_argument("--root", metavar="DIR", default=os.path.dirname(os.path.abspath(__file__)),
                   help="the folder that holds src/ (default: where this script lies)")
    args = p.parse_args(argv)
    if args.check and (args.only or args.bundle or args.split or args.o):
        p.error("--check is about the dbm.h in the repository; it takes no other option")
    if args.split and args.o:
        p.error("--split names its own files; leave -o out")
    if (args.only or args.bundle) and not (args.o or args.split or args.list):
        p.error("a dbm.h of your own goes to a place of its own: add -o FILE or --split DIR")
    return args


def run(argv, say=print):
    args = arguments(argv)
    tree = Tree(args.root)
    plain = not (args.check or args.only or args.bundle or args.split or args.list or args.o)
    if args.prefix_list:
        say("src/%s: %s" % (PREFIX, "written" if tree.write_prefix() else "unchanged"))
        return
    if plain and tree.write_prefix():
        say("src/%s: written" % PREFIX)
    tree.check_files()
    only = None if args.only is None else [n for n in re.split(r"[,\s]+", args.only) if n and n != "none"]
    bundle = Bundle([f for f in args.bundle.split(",") if f]) if args.bundle else None
    amalgam = Amalgam(tree, only, bundle, bool(args.split))
    tree.check_options()
    tree.check_prefix()
    if len(amalgam.out) > MAX_LINES and not bundle:
        refuse("dbm.h", "%d lines, more than %d" % (len(amalgam.out), MAX_LINES),
               "past 32,767 lines debuggers and other tools stumble", "make the code smaller")
    if args.list:
        say(listing(tree, amalgam))
    elif args.check:
        check_committed(tree, amalgam, os.path.join(args.root, "dbm.h"))
        say("dbm.h is what src/ says: %d lines" % len(amalgam.out))
    elif args.split:
        for name, text in zip(("dbm.h", "dbm.c"), amalgam.halves()):
            path = os.path.join(args.split, name)
            say("%s: %s" % (path, "written" if write_if_different(path, text) else "unchanged"))
    elif args.o == "-":
        sys.stdout.buffer.write(amalgam.text().encode("latin-1"))
    else:
        path = args.o or os.path.join(args.root, "dbm.h")
        written = write_if_different(path, amalgam.text())
        say("%s: %s, %d lines" % (args.o or "dbm.h", "written" if written else "unchanged", len(amalgam.out)))


def main(argv):
    try:
        run(argv)
    except Refusal as r:
        for problem in r.problems:
            print("amalgamate: %s" % problem, file=sys.stderr)
        return 1
    except OSError as e:
        print("amalgamate: %s: %s" % (e.filename, e.strerror), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
