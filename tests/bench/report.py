"""Reads what the contenders of the benchmark said, one JSON object a line, and prints the table; --json keeps it as JSON lines, --svg draws it.
`python3 tests/bench/report.py --from results.jsonl --svg results.svg` draws a kept one again."""
import argparse
import json
import statistics
import sys
from html import escape

NAMES = {"raw": "raw driver", "dbm": "dbm.h", "zdb": "libzdb", "soci": "SOCI", "apr": "APR DBD", "dbi": "libdbi", "odbc": "unixODBC"}


def read_budgets(path):
    """(row, contender) -> (what it is compared with, the ratio that is allowed or None, the same of the p99 or None)"""
    budgets = {}
    for line in open(path, encoding="ascii"):
        words = line.split()
        if words and not line.startswith("#"):
            row, variant, over, ratio = words[:4]
            contender = "dbm" if variant == "-" else "dbm/" + variant
            p99 = words[9] if len(words) > 9 else "-"
            budgets[row, contender] = (over, None if ratio == "-" else float(ratio), None if p99 == "-" else float(p99))
    return budgets


def collect(lines, budgets):
    """The results, in the order of appearance: times of all rounds become their minimum and median."""
    results, times = {}, {}
    for line in lines:
        said = json.loads(line)
        key = said["row"], said["contender"]
        result = results.setdefault(key, {"row": said["row"], "what": said.get("what", ""), "contender": said["contender"]})
        if "ns_min" in said:
            times.setdefault(key, []).append(said)
            result["operations"] = said["n"]
        else:
            result.update({k: v for k, v in said.items() if k not in ("row", "what", "contender", "n")})
    for key, rounds in times.items():
        result = results[key]
        result["rounds"] = len(rounds)
        result["ns_min"] = min(r["ns_min"] for r in rounds)
        result["ns_median"] = statistics.median(r["ns_median"] for r in rounds)
        result["cpu_ns"] = min(r["cpu_ns"] for r in rounds)
        waits = [field for field in ("p50_ns", "p99_ns") if field in rounds[0]]
        least = min(rounds, key=lambda r: r.get("p99_ns", 0))
        result.update({field: least[field] for field in waits})
        over, budget, p99_budget = budgets.get(key, ("raw", None, None))
        if over in ("-", "raw/loop"):
            over = "raw"
        reference = times.get((key[0], over))
        if reference is not None:
            result["over"] = over
            # The contenders of a round ran one after the other, on a machine that was as busy for each; of each its best stretch.
            result["ratio"] = round(statistics.median(mine["ns_min"] / theirs["ns_min"] for mine, theirs in zip(rounds, reference)), 3)
            result["ratio_min"] = round(result["ns_min"] / min(r["ns_min"] for r in reference), 3)
            result["ratio_cpu"] = round(result["cpu_ns"] / min(r["cpu_ns"] for r in reference), 3)
            if waits:
                result["ratio_p99"] = round(statistics.median(mine["p99_ns"] / theirs["p99_ns"] for mine, theirs in zip(rounds, reference)), 3)
        if budget is not None:
            result["budget"] = budget
        if p99_budget is not None:
            result["budget_p99"] = p99_budget
    return list(results.values())


def spell_time(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= size:
            return "%.2f %s" % (ns / size, unit)
    return "%.1f ns" % ns


def spell(value):
    return "" if value is None else "%g" % round(value, 2)


def print_table(results):
    form = "  %-22s %10s %10s %7s %7s %10s %7s %11s %7s %6s %9s %9s  %s"
    row = None
    print(form % ("", "minimum", "median", "ratio", "of min", "client CPU", "ratio", "instr", "allocs", "sends", "peak KB", "grown KB", ""))
    for r in results:
        if r["row"] != row:
            row = r["row"]
            print("%s: %s" % (row, r["what"]))
        judged = "ratio_cpu" if r["row"].startswith("mongodb") else "ratio"  # the server there is the slow part, so the client's time is what counts
        over = "budget" in r and r.get(judged, 0) > r["budget"]
        note = "" if "budget" not in r else "%sbudget %.2f of %s" % ("OVER, " if over else "", r["budget"], r.get("over", "raw"))
        if "p99_ns" in r:
            late = "budget_p99" in r and r.get("ratio_p99", 0) > r["budget_p99"]
            note += "%sp50 %s, p99 %s" % ("; " if note else "", spell_time(r["p50_ns"]), spell_time(r["p99_ns"]))
            note += ", ratio %.2f" % r["ratio_p99"] if "ratio_p99" in r else ""
            note += ", %sbudget %.2f" % ("OVER, " if late else "", r["budget_p99"]) if "budget_p99" in r else ""
        timed = "ns_min" in r
        print((form % (r["contender"], spell_time(r["ns_min"]) if timed else "", spell_time(r["ns_median"]) if timed else "",
                       "%.2f" % r["ratio"] if "ratio" in r else "", "%.2f" % r["ratio_min"] if "ratio_min" in r else "",
                       spell_time(r["cpu_ns"]) if timed else "", "%.2f" % r["ratio_cpu"] if "ratio_cpu" in r else "", spell(r.get("instructions")), spell(r.get("allocations")),
                       spell(r.get("sends")), spell(r.get("peak_kb")), spell(r.get("grown_kb")), note)).rstrip())


# ---- the chart --------------------------------------------------------------------------------------------------------------------------

LIBRARIES = ["dbm", "soci", "zdb", "apr", "odbc", "dbi"]
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB", "redis": "Redis", "mongodb": "MongoDB", "pool": "Pool"}
LEFT, WIDTH, BAR, GAP, GROUP = 300, 900, 11, 2, 15
LIMIT = 4.0  # where bars end: what is longer is told by its number


def groups_of(results):
    """One group for each row that was compared with the raw driver: its title, and the bars (name, what it is, ratio)."""
    groups = []
    for row in dict.fromkeys(r["row"] for r in results):
        if row.startswith("start"):
            continue
        of_row = {r["contender"]: r for r in results if r["row"] == row}
        # What dbm.h does in bulk stands beside the raw driver's own way of doing that, in a group of its own.
        for over in dict.fromkeys(["raw"] + [r.get("over", "raw") for r in of_row.values()]):
            bars = []
            for library in LIBRARIES:
                for contender, r in of_row.items():
                    name, _, variant = contender.partition("/")
                    if name == library and "ratio" in r and r["over"] == over and (library == "dbm" or not variant):
                        bars.append((NAMES[library] + (", " + variant if variant else ""), library, r["ratio"]))
            if bars:
                kind = row.removeprefix("async_").split("_")[0]
                reference = of_row[over]
                by = over.partition("/")[2]
                groups.append(("%s: %s" % (TITLES.get(kind, kind), reference["what"]) + (", against the driver's " + by if by else ""),
                               "by hand " + spell_time(reference["ns_min"]), bars))
    return groups


def draw(results):
    groups = groups_of(results)
    scale = (WIDTH - LEFT - 110) / LIMIT
    height = 66 + sum(GROUP + 17 + len(bars) * (BAR + GAP) for _, _, bars in groups)
    out = []

    def text(x, y, words, kind="", anchor="start"):
        out.append('<text x="%g" y="%g" text-anchor="%s"%s>%s</text>' % (x, y, anchor, ' class="%s"' % kind if kind else "", escape(words).encode("ascii", "xmlcharrefreplace").decode()))

    text(16, 22, "Time over the raw driver's (1.0: as fast as code written by hand against it; shorter is better)", "title")
    y = 40
    top = y + 6
    for mark in (0, 1, 2, 3, 4):
        text(LEFT + mark * scale, y, "%d" % mark, "small", "middle")
    for title, reference, bars in groups:
        y += GROUP + 14
        text(16, y, title, "head")
        y += 3
        text(WIDTH - 16, y, reference, "small", "end")
        for name, library, ratio in bars:
            y += BAR + GAP
            length = min(ratio, LIMIT) * scale
            text(LEFT - 8, y - 2, name, "mine" if library == "dbm" else "small", "end")
            out.append('<rect x="%g" y="%g" width="%.1f" height="%d" rx="1.5" class="%s"/>' % (LEFT, y - BAR, length, BAR, "dbm" if library == "dbm" else "peer"))
            text(LEFT + length + 5, y - 2, "%.2f%s" % (ratio, " \u2192" if ratio > LIMIT else ""), "mine" if library == "dbm" else "small")
    grid = "".join('<line x1="%g" y1="%g" x2="%g" y2="%g" class="%s"/>' % (LEFT + m * scale, top, LEFT + m * scale, y + 6, "one" if m == 1 else "grid")
                   for m in (0, 1, 2, 3, 4))
    return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="Helvetica, Arial, sans-serif" font-size="11">\n'
            "<style>\n"
            "  .back { fill: #ffffff } text { fill: #24292f } .small { fill: #57606a; font-size: 10px } .title { font-size: 13px; font-weight: bold }\n"
            "  .head { font-size: 12px; font-weight: bold } .mine { font-size: 10px; font-weight: bold } .dbm { fill: #1f7a4d } .peer { fill: #9aa7b4 }\n"
            "  .grid { stroke: #d0d7de; stroke-width: 1 } .one { stroke: #c0392b; stroke-width: 1.2; stroke-dasharray: 4 3 }\n"
            "  @media (prefers-color-scheme: dark) {\n"
            "    .back { fill: #0d1117 } text { fill: #e6edf3 } .small { fill: #9198a1 } .dbm { fill: #3fb97a } .peer { fill: #5c6773 }\n"
            "    .grid { stroke: #30363d } .one { stroke: #ff7b72 }\n"
            "  }\n"
            '</style>\n<rect class="back" width="100%%" height="100%%"/>\n%s\n%s\n</svg>\n') % (WIDTH, height, WIDTH, height, grid, "\n".join(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budgets", metavar="FILE")
    parser.add_argument("--from", dest="kept", metavar="FILE", help="JSON lines that were kept, instead of the standard input")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--svg", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.kept:
        results = [json.loads(line) for line in open(arguments.kept, encoding="utf-8")]
    else:
        results = collect(sys.stdin, read_budgets(arguments.budgets) if arguments.budgets else {})
    print_table(results)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(r) + "\n" for r in results)
    if arguments.svg:
        with open(arguments.svg, "w", encoding="utf-8") as f:
            f.write(draw(results))


if __name__ == "__main__":
    main()
