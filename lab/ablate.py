#!/usr/bin/env python3
"""Copies of recordings with something taken away, to see what a verdict rests on.

    lab/ablate.py OUT RECORDING...

writes OUT/RECORDING~VARIANT with `logs/` and the same `truth.csv`:

    no-FILE   without one origin log (and its rotated siblings)
    noray     rays taken out of the origin's logs
    5xx       edge rows with a status of 500 or more only
    f14       fourteen fields in each edge row, EdgeServerIP not among them
    sec       whole-second edge stamps
    half1, half2   the first or second half of every origin log
    lvl       without lines of level warn, notice and info
    short     edge rows of eight seconds
    few520    every third 520 only

Score them as recordings: `lab score --recordings OUT --cfray BINARY`. A copy keeps the cause it was recorded with although
its logs may no longer tell, so `unknown` is no mistake there; a wrong name is.
"""

import gzip
import json
import os
import re
import shutil
import sys
from datetime import datetime

FIELDS = (
    "RayID EdgeStartTimestamp EdgeEndTimestamp EdgeResponseStatus OriginResponseStatus ClientRequestHost ClientRequestMethod "
    "ClientRequestURI ClientIP ClientRequestUserAgent EdgeColoCode OriginIP OriginResponseDurationMs CacheCacheStatus"
).split()
RAY = re.compile(rb"\b([0-9a-f]{16})(-[A-Z]{3})?\b")
QUIET = re.compile(rb"\[(?:\w+:)?(info|notice|warn)\]")


def load(recording):
    """Every log by its name, inflated."""
    files = {}
    for folder, _, names in os.walk(os.path.join(recording, "logs")):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                data = file.read()
            relative = os.path.relpath(path, os.path.join(recording, "logs"))
            if relative.endswith(".gz"):
                data, relative = gzip.decompress(data), relative[:-3]
            files[relative] = data
    return files


def save(out, recording, variant, files):
    target = os.path.join(out, f"{os.path.basename(recording)}~{variant}")
    shutil.rmtree(target, ignore_errors=True)
    for name, data in files.items():
        path = os.path.join(target, "logs", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
    shutil.copy(os.path.join(recording, "truth.csv"), target)


def is_edge(name, data):
    return b'"EdgeResponseStatus"' in data[:20_000] or "cloudflare" in name or "http_requests" in name


def change_edge(files, edge, change):
    """All files with `change` laid over the edge rows; None when they are no JSON."""
    out = dict(files)
    for name in edge:
        try:
            rows = [json.loads(line) for line in files[name].splitlines() if line.strip()]
        except ValueError:
            return None
        out[name] = b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in change(rows))
    return out


def half(data, which):
    lines = data.split(b"\n")
    middle = len(lines) // 2
    return b"\n".join(lines[:middle] if which == 1 else lines[middle:])


def seconds(row):
    return datetime.fromisoformat(str(row["EdgeStartTimestamp"])[:19]).timestamp()


def failed(row):
    return str(row.get("EdgeResponseStatus")) == "520"


def variants(files):
    edge = [name for name, data in files.items() if is_edge(name, data)]
    origin = [name for name in files if name not in edge]
    if not edge or not origin:
        return
    main = [name for name in origin if not re.search(r"\.\d$", name)]
    if len(main) > 1:
        for name in main:
            yield "no-" + name.replace("/", "_"), {n: d for n, d in files.items() if not n.startswith(name)}
    rays = set(re.findall(rb'"RayID":"([0-9a-f]{16})"', b"".join(files[name] for name in edge)))
    of_origin = lambda change: {name: change(data) if name in origin else data for name, data in files.items()}
    if any(m.group(1) in rays for name in origin for m in RAY.finditer(files[name])):
        yield "noray", of_origin(lambda d: RAY.sub(lambda m: b"-" if m.group(1) in rays else m.group(0), d))
    yield "half1", of_origin(lambda d: half(d, 1))
    yield "half2", of_origin(lambda d: half(d, 2))
    yield "lvl", of_origin(lambda d: b"\n".join(line for line in d.split(b"\n") if not QUIET.search(line)))
    yield "5xx", change_edge(files, edge, lambda rows: [r for r in rows if int(r.get("EdgeResponseStatus") or 0) >= 500])
    yield "f14", change_edge(files, edge, lambda rows: [{f: r[f] for f in FIELDS if f in r} for r in rows])
    whole = lambda key, value: re.sub(r"\.\d+Z", "Z", value) if "Timestamp" in key and isinstance(value, str) else value
    yield "sec", change_edge(files, edge, lambda rows: [{k: whole(k, v) for k, v in r.items()} for r in rows])
    yield "few520", change_edge(files, edge, lambda rows: [r for i, r in enumerate(rows) if not failed(r) or i % 3 == 0])
    starts = []
    change_edge(files, edge, lambda rows: starts.extend(seconds(r) for r in rows if failed(r) and "T" in str(r["EdgeStartTimestamp"])) or rows)
    if len(starts) > 4:
        middle = sorted(starts)[len(starts) // 2]
        yield "short", change_edge(files, edge, lambda rows: [r for r in rows if abs(seconds(r) - middle) <= 4])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out = sys.argv[1]
    for recording in (path.rstrip("/") for path in sys.argv[2:]):
        for variant, files in variants(load(recording)):
            if files:
                save(out, recording, variant, files)


if __name__ == "__main__":
    main()
