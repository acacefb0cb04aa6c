# SPDX-License-Identifier: MIT
"""results.json -> benchmarks.md and SVG plots."""

import json
import re
import subprocess
from pathlib import Path

from lib.tools import ROOT, Failed

COLOURS = {"Carillon": "#b5452c", "Express": "#3c763d", "ws on Node": "#3c763d", "PHP": "#6a5acd", "the floor": "#777777",
           "nchan": "#1f77b4", "mosquitto": "#8a6d3b"}  # fmt: skip


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def write(results, directory):
    directory = Path(directory)
    pictures = directory / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    (pictures / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    for plot in results["plots"]:
        draw(plot, pictures / f"{plot['name']}.svg")
    (directory / "benchmarks.md").write_text("\n".join(page(results)) + "\n")
    return directory / "benchmarks.md"


def page(results):
    yield from head(results)
    yield from summary(results)
    for key, tables in results["measures"].items():
        for table in tables:
            yield from section(key, table, results["ours"])
    if results["plots"]:
        yield "## As work grows\n"
        for plot in results["plots"]:
            yield f"### {plot['title']}\n\n![{plot['title']}](benchmarks/{plot['name']}.svg)\n\n{plot['text']}\n"
    if not results["against"]:
        yield from peers()


def head(results):
    machine = results["machine"]
    yield "# Benchmarks\n"
    yield ("For people who choose between Carillon and something else, and for programmers who change it. After reading this page you know "
           "how it compares in speed and memory, which goals it misses, and how to measure it yourself. [performance.md](performance.md) "
           "says where the time goes.\n")  # fmt: skip
    yield (f"Written by `{results['command']}` at {results['date']}, revision {results['revision']}, in {results['minutes']:.0f} minutes "
           f"on {machine['cores']} cores ({machine['cpu']}), {machine['system']}. Load generator, database, broker and every "
           "server share those cores, so absolute figures say little: the ratios are the result. Medians; ± is half the distance "
           "between the best and the worst round. Rounds are interleaved (A B A B). Every run fails on an answer that is no "
           "success, and on a delivery lost, doubled or (where it can be seen) out of order. *CPU each* is what everything but the load "
           "program took for one request or event: server, nginx, database, broker and logs (unless a note says otherwise).\n")  # fmt: skip
    for part in results.get("earlier", []):
        yield (f"Measures {', '.join(part['measures'])} are of a run that failed later: at {part['date']}, revision {part['revision']}, "
               f"in {part['minutes']:.0f} minutes.\n")  # fmt: skip
    yield f"Versions: {', '.join(f'{name} {version}' for name, version in machine['versions'].items())}.\n"
    if results["quick"]:
        yield "**A quick run: fewer and shorter rounds, smaller numbers.** Good for a look, not for a claim.\n"
    if results["busy"]:
        yield f"**The machine was busy with other things** (load average {results['busy']:.1f} before the first measure).\n"


def summary(results):
    goals = [(key, table, g) for key, tables in results["measures"].items() for table in tables for g in table["goals"]]
    if not goals:
        return
    met = sum(g["met"] for _, _, g in goals)
    yield f"## Goals: {met} of {len(goals)} met\n"
    yield "| | measure | goal | measured | |\n|---|---|---|---|---|"
    for key, table, g in goals:
        yield f"| {key} | {table['title']} | {g['text']} | {number(g['value'])} | {'met' if g['met'] else '**missed**'} |"
    yield ""


def section(key, table, ours):
    yield f"## {key}. {table['title']}\n"
    own = table["rows"].get(ours, {}).get("median")
    costs = any("cpu_us" in row for row in table["rows"].values())
    yield f"| | {table['unit']} | ± | {ours} is |" + (" CPU each, µs |" if costs else "")
    yield "|---|---:|---:|---:|" + ("---:|" if costs else "")
    for name, row in table["rows"].items():
        line = f"| {name} | {number(row['median'])} | {row['spread_percent']:.0f} % | {times(own, row, table, name == ours)} |"
        yield line + (f" {number(row.get('cpu_us', 0))} |" if costs else "")
    yield ""
    for note in table["notes"]:
        yield note + "\n"


def times(own, row, table, itself):
    if itself or not own or not row["median"]:
        return ""
    ratio = own / row["median"] if table["better"] == "more" else row["median"] / own
    return f"{number(ratio)} ×"


def peers():
    yield "## What is compared\n"
    for readme in sorted((ROOT / "bench/peers").glob("*/README.md")):
        text = re.sub(r"^# ", "### ", readme.read_text().strip(), flags=re.M)
        yield f"{text}\n\n[bench/peers/{readme.parent.name}](../bench/peers/{readme.parent.name})\n"


# ---- plots


def colour(name, index):
    for prefix, value in COLOURS.items():
        if name.startswith(prefix):
            return value
    return ["#d62728", "#2ca02c", "#9467bd", "#ff7f0e"][index % 4]


def draw(plot, target):
    lines = ["set terminal svg size 760,420 dynamic background '#ffffff' font 'sans-serif,13'", f"set output '{target}'",
             f"set xlabel '{plot['x']}'", f"set ylabel '{plot['y']}'", "set grid lc '#dddddd'", "set border 3", "set tics nomirror",
             "set key outside top center horizontal", "set format y '%.0s%c'", "set format x '%.0s%c'"]  # fmt: skip
    lines += ["set logscale x"] if plot["logx"] else ["set xrange [0:*]"]
    lines += ["set logscale y", "set format y '%g'"] if plot["logy"] else ["set yrange [0:*]"]
    drawn = []
    for index, (name, points) in enumerate(plot["series"].items()):
        lines.append(f"$data{index} << EOD")
        lines += [f"{x} {y}" for x, y in points]
        lines.append("EOD")
        width = 3 if name.startswith("Carillon") else 2
        dash = " dt 2" if "503" in name else ""
        drawn.append(f"$data{index} using 1:2 with linespoints lw {width} pt 7 ps 0.5 lc rgb '{colour(name, index)}'{dash} title '{name}'")
    lines.append("plot " + ", ".join(drawn))
    done = subprocess.run(["gnuplot"], input="\n".join(lines) + "\n", capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"gnuplot, {plot['name']}: {done.stderr}")


# ---- for the terminal


def terminal(results):
    for key, tables in results["measures"].items():
        for table in tables:
            print(f"\n{key}. {table['title']} ({table['unit']})")
            own = table["rows"].get(results["ours"], {}).get("median")
            for name, row in table["rows"].items():
                ratio = times(own, row, table, name == results["ours"])
                cost = f"  {number(row['cpu_us']):>7} us of CPU each" if "cpu_us" in row else ""
                print(f"   {name:34} {number(row['median']):>10}  ±{row['spread_percent']:3.0f} %  {ratio:>9}{cost}")
            for g in table["goals"]:
                print(f"   {'met   ' if g['met'] else 'MISSED'} {g['text']}: {number(g['value'])}")
