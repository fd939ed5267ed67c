"""Measures the contenders of benches/compare in turns, checks that they agree, prints and saves the table."""

import argparse
import csv
import datetime
import glob
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent


@dataclass
class Contender:
    """A command with what it took, one number a run."""

    name: str
    command: str
    agrees: object = None  # called with standard output; returns the number of 520s it found
    may_fail: bool = False
    feed: str = ""  # a command whose output it reads, and whose memory is not its own
    wall: list = field(default_factory=list)
    cpu: list = field(default_factory=list)
    rss_mb: list = field(default_factory=list)

    def run(self, record=True):
        """Runs it once in a shell of its own. Wall time by this clock, CPU and memory by /usr/bin/time."""
        with tempfile.NamedTemporaryFile("r") as usage:
            # exec: no shell stays between time and a single command; of a pipeline, the largest process counts.
            shell = self.command if "|" in self.command else f"exec {self.command}"
            timed = ["/usr/bin/time", "-q", "-f", "%U %S %M", "-o", usage.name, "bash", "-c", f"set -o pipefail; {shell}"]
            begin = time.perf_counter()
            feed = subprocess.Popen(["bash", "-c", f"exec {self.feed}"], stdout=subprocess.PIPE) if self.feed else None
            rows = feed.stdout if feed else None
            done = subprocess.run(timed, stdin=rows, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if feed:
                feed.stdout.close()
                feed.wait()
            wall = time.perf_counter() - begin
            if done.returncode != 0 and not self.may_fail:
                sys.exit(f"compare: {self.name} failed ({done.returncode}): {self.command}\n{done.stderr[-2000:]}")
            user, system, rss_kb = usage.read().split()[-3:]
        if record:
            self.wall.append(wall)
            self.cpu.append(float(user) + float(system))
            self.rss_mb.append(int(rss_kb) / 1024)
        return done.stdout

    def seconds(self):
        return statistics.median(self.wall)

    def cpu_seconds(self):
        return statistics.median(self.cpu)

    def rss(self):
        return max(self.rss_mb)


def rounds(contenders, runs):
    """All contenders in turns, so that a busy minute hits all of them. The first round warms up and checks."""
    found = {}
    for number in range(runs + 1):
        for contender in contenders:
            out = contender.run(record=number > 0)
            if number == 0 and contender.agrees:
                found[contender.name] = contender.agrees(out)
    return found


def parquet_rays(path):
    """Rays of a report, by cause."""
    return duckdb.execute(f"SELECT ray_id, cause FROM '{path}'").fetchall()


def quote(path):
    return shlex.quote(str(path))


def cpu_model():
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def version(*command):
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    numbers = re.search(r"\d+(\.\d+)+", out)
    return numbers.group(0) if numbers else "?"


def size(pattern):
    return sum(os.path.getsize(f) for f in glob.glob(str(pattern), recursive=True) if os.path.isfile(f))


class Table:
    """Rows of the table, and the comparisons below it."""

    def __init__(self):
        self.rows = []
        self.goals = []

    def add(self, c):
        least, most = min(c.wall), max(c.wall)
        self.rows.append(f"| {c.name} | {c.seconds():.3f} | {least:.3f}–{most:.3f} | {c.cpu_seconds():.2f} | {c.rss():.0f} |")

    def goal(self, what, value, unit, target, holds):
        text = f"{value:.2f}" if isinstance(value, float) else str(value)
        self.goals.append(f"| {what} | {text}{unit} | {target} | {'yes' if holds else '**no**'} |")

    def most(self, what, value, most, unit=""):
        self.goal(what, float(value), unit, f"≤ {most:g}{unit}", value <= most)

    def least(self, what, value, least, unit=""):
        self.goal(what, float(value), unit, f"≥ {least:g}{unit}", value >= least)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--cfray", required=True)
    parser.add_argument("--gen-logs", required=True)
    parser.add_argument("--commit", required=True)
    parser.add_argument("--save", required=True)
    parser.add_argument("--storm", action="store_true")
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()

    data, cfray = args.dir, quote(args.cfray)
    plain, packed, members, half = (data / name / "logs" for name in ("plain", "gzip", "small-members", "half"))
    join = f"{quote(sys.executable)} {quote(HERE / 'duckdb_join.py')}"
    edge = sorted(glob.glob(str(plain / "cloudflare/*/*")))
    edge_files = " ".join(map(quote, edge))
    origin = f"{quote(plain / 'nginx')} {quote(plain / 'php')}"
    one = data / "one" / "rows.log"
    one.parent.mkdir(exist_ok=True)
    all_in_one = data / "one" / "all.log"

    # One row that nothing is wanted for, and all rows in one file.
    with open(edge[0], encoding="utf-8") as rows:
        one.write_text(next(r for r in rows if '"EdgeResponseStatus":200' in r), encoding="utf-8")
    subprocess.run(f"cat {edge_files} > {quote(all_in_one)}", shell=True, check=True)
    # Everything into the page cache.
    subprocess.run(f"find {quote(data)} -type f -exec cat {{}} + > /dev/null", shell=True, check=True)

    def report(name):
        return data / f"{name}.parquet"

    def analyze(name, rest, options=""):
        out = report(name)
        command = f"{cfray} analyze -q {options} -o {quote(out)} {rest}"
        return lambda title: Contender(title, command, lambda _: len(parquet_rays(out)))

    def count_lines(out):
        return sum(int(line.rsplit(":", 1)[-1]) for line in out.splitlines())

    def last_number(out):
        return int(out.split()[-1])

    rg = Contender("`rg -c '\"EdgeResponseStatus\":520'`", f"rg -c '\"EdgeResponseStatus\":520' {quote(plain / 'cloudflare')}", count_lines)
    duck = Contender("DuckDB, plain", f"{join} {quote(plain)} {quote(report('duckdb'))}", last_number)
    mine = analyze("plain", quote(plain))("**cfray analyze DIR -o r.parquet**, plain")
    single = analyze("single", quote(plain), "-j 1")("cfray, plain, `-j 1`")
    halved = analyze("half", quote(half))("cfray, half of the rows")
    wc = Contender("`cat FILES \\| wc -l`", f"cat {edge_files} | wc -l")
    piped = Contender(
        "**`cat FILES \\| cfray analyze - ORIGIN`**",
        f"cat {edge_files} | {cfray} analyze -q -o {quote(report('piped'))} - {origin}",
        lambda _: len(parquet_rays(report("piped"))),
    )
    named = analyze("named", f"{quote(all_in_one)} {origin}")("cfray, all rows in one FILE")
    redirected = Contender(
        "**`cfray analyze - ORIGIN < FILE`**",
        f"{cfray} analyze -q -o {quote(report('redirected'))} - {origin} < {quote(all_in_one)}",
        lambda _: len(parquet_rays(report("redirected"))),
    )
    first = [rg, duck, mine, single, halved, wc, piped, named, redirected]

    gz = sorted(glob.glob(str(packed / "cloudflare/*/*.gz")))
    gz_small = sorted(glob.glob(str(members / "cloudflare/*/*.gz")))
    duck_gz = Contender("DuckDB, gzip", f"{join} {quote(packed)} {quote(report('duckdb-gzip'))}", last_number)
    mine_gz = analyze("gzip", quote(packed))("**cfray analyze DIR -o r.parquet**, gzip")
    inflate = Contender("libdeflate-gunzip, gzip", f"libdeflate-gunzip -c {' '.join(map(quote, gz))} > /dev/null")
    inflate_small = Contender("libdeflate-gunzip, gzip members of 24 MB", f"libdeflate-gunzip -c {' '.join(map(quote, gz_small))} > /dev/null")
    mine_small = analyze("small", quote(members))("cfray, gzip members of 24 MB")
    second = [duck_gz, mine_gz, inflate, mine_small, inflate_small]

    idle = Contender("cfray, origin logs of which nothing is wanted, `-j 1`", f"{cfray} analyze -q -j 1 -o {quote(report('idle'))} {quote(one)} {origin}")
    nothing = Contender("cfray, empty directory", f"{cfray} analyze -q {quote(data / 'empty')}", may_fail=True)
    third = [idle, nothing]

    begin = datetime.datetime.now(datetime.timezone.utc)
    load = os.getloadavg()[0]
    found = {}
    for group in (first, second, third):
        found.update(rounds(group, args.runs))
    contenders = first + second + third

    table = Table()
    for c in contenders:
        table.add(c)
    table.most("plain: cfray / rg", mine.seconds() / rg.seconds(), 2)
    table.most("plain: cfray / DuckDB", mine.seconds() / duck.seconds(), 0.167)
    table.most("gzip: cfray / DuckDB", mine_gz.seconds() / duck_gz.seconds(), 0.25)
    table.most("gzip members of 24 MB: CPU of cfray / CPU of libdeflate", mine_small.cpu_seconds() / inflate_small.cpu_seconds(), 1.5)
    origin_bytes = size(plain / "nginx" / "*") + size(plain / "php" / "*")
    table.least("origin logs of which nothing is wanted, one core", origin_bytes / idle.seconds() / 1e9, 1, " GB/s")
    table.most("pipe: cfray / `cat \\| wc -l`", piped.seconds() / wc.seconds(), 1.15)
    table.most("`< FILE` / FILE", redirected.seconds() / named.seconds(), 1.05)
    table.most("twice the data: full / half", mine.seconds() / halved.seconds(), 2.1)
    table.least("second core: `-j 1` / two", single.seconds() / mine.seconds(), 1.7)
    table.most("peak memory, plain", mine.rss(), 150, " MB")
    table.most("peak memory, gzip", mine_gz.rss(), 150, " MB")
    table.most("peak memory, pipe", piped.rss(), 150, " MB")
    table.most("start-up on an empty directory", nothing.seconds() * 1000, 20, " ms")

    if args.storm:
        # Two minutes at most: more is a miss by so much that the exact figure does not matter.
        command = f"timeout 120 {cfray} analyze -q -o {quote(report('storm'))} {quote(data / 'storm' / 'logs')}"
        storm = Contender("**cfray, storm** (every row a 520; ended after 120 s)", command, may_fail=True)
        rounds([storm], min(args.runs, 3))
        table.add(storm)
        table.most("storm: time", storm.seconds(), 6, " s")
        table.most("storm: peak memory", storm.rss(), 1536, " MB")
    if args.large:
        # Rows come from the generator, so that the disk need not hold them.
        spare = quote(data / "large-spare")
        logs = data / "large" / "logs"
        feed = f"{quote(args.gen_logs)} --rows {args.rows * 10} --pipe --out {spare}"
        large = Contender(
            "cfray, ten times the rows through a pipe",
            f"{cfray} analyze -q -o {quote(report('large'))} - {quote(logs / 'nginx')} {quote(logs / 'php')}",
            feed=feed,
        )
        large.run()
        table.add(large)
        table.most("peak memory, ten times the rows", large.rss(), 150, " MB")

    # Do the answers agree? The truth is the generator's.
    with open(data / "plain" / "truth.csv", encoding="utf-8") as text:
        truth = {row["ray_id"]: row for row in csv.DictReader(text)}
    agreed = True
    lines = []
    with open(data / "half" / "truth.csv", encoding="utf-8") as text:
        half_number = sum(1 for _ in csv.DictReader(text))
    for name, number in found.items():
        expected = half_number if name == halved.name else len(truth)
        if number != expected:
            agreed = False
            lines.append(f"- {name}: {number} 520s, expected {expected}")
    said = dict(parquet_rays(report("plain")))
    if said.keys() != truth.keys():
        agreed = False
        lines.append("- the rays of cfray's report are not those of the truth")
    for other in ("single", "piped", "gzip", "small", "named", "redirected"):
        if dict(parquet_rays(report(other))) != said:
            agreed = False
            lines.append(f"- the causes of the run {other!r} differ from those of the run on plain files")
    right = sum(said.get(ray) in (row["cause"], row["accept"] or None) for ray, row in truth.items())
    wrong = Counter((truth[ray]["cause"], cause) for ray, cause in said.items() if ray in truth and cause not in (truth[ray]["cause"], truth[ray]["accept"]))

    model = cpu_model()
    text = [
        f"# {begin:%Y-%m-%d}, {model}",
        "",
        f"{begin:%Y-%m-%d %H:%M} UTC; commit {args.commit}; {os.cpu_count()} cores; Linux {platform.release()}; load at the start {load:.1f}",
        "",
        f"ripgrep {version('rg', '--version')}, DuckDB {duckdb.__version__}, libdeflate {version('libdeflate-gunzip', '-V')}. "
        f"{args.rows:,} rows ({size(plain / 'cloudflare/*/*') / 1e6:,.0f} MB, gzip {size(packed / 'cloudflare/*/*') / 1e6:,.0f} MB), "
        f"{len(truth):,} of them 520; {origin_bytes / 1e6:,.0f} MB of origin logs; page cache warm; medians of {args.runs} runs in turns.",
        "",
        "| command | seconds | least–most | CPU s | peak MB |",
        "|---|---:|---:|---:|---:|",
        *table.rows,
        "",
        "| figure | measured | target | holds |",
        "|---|---:|---:|---|",
        *table.goals,
        "",
        f"Answers {'agree' if agreed else '**do not agree**'}: {len(truth):,} 520s by every command" + ("." if agreed else ", but:"),
        *lines,
        "",
        f"Causes as the generator made them: {right / max(len(truth), 1):.1%}."
        + "".join(f" {n} × {a} called {b}." for (a, b), n in wrong.most_common(6)),
        "",
    ]
    print("\n".join(text))
    if args.save:
        slug = re.sub(r"[^a-z0-9]+", "-", model.lower().replace("(r)", "").replace("(tm)", "")).strip("-")
        path = Path(args.save) / f"{begin:%Y-%m-%d}-{slug}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(text), encoding="utf-8")
        print(f"compare: written to {path}", file=sys.stderr)
    sys.exit(0 if agreed else 1)


main()
