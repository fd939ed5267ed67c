#!/usr/bin/env python3
"""Cuts a recording to a few seconds of true time: a story for sample-logs/.

    cut_story.py RECORDING STORY SECONDS [--plain] [--fields]

Edge rows that start inside the window stay, origin lines written inside it (zone and skew of scenario.json
applied, two seconds of margin) stay with their continuation lines. Nothing else is changed, but with --fields the
edge rows keep only the fields that cfray reads, as a job with fewer fields would deliver them.
"""
import datetime, glob, gzip, json, os, re, sys

FIELDS = """CacheCacheStatus ClientASN ClientCountry ClientIP ClientRequestBytes ClientRequestHost ClientRequestMethod
ClientRequestProtocol ClientRequestReferer ClientRequestSource ClientRequestURI ClientRequestUserAgent
EdgeCFConnectingO2O EdgeColoCode EdgeEndTimestamp EdgePathingOp EdgePathingSrc EdgePathingStatus EdgeResponseStatus
EdgeServerIP EdgeStartTimestamp OriginIP OriginResponseDurationMs OriginResponseHeaderReceiveDurationMs
OriginResponseStatus OriginSSLProtocol OriginTCPHandshakeDurationMs OriginTLSHandshakeDurationMs ParentRayID RayID
WorkerSubrequest""".split()

STAMPS = [
    (re.compile(r"(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d) [+-]\d{4}"), "%d/%b/%Y:%H:%M:%S"),
    (re.compile(r'"__REALTIME_TIMESTAMP" ?: ?"(\d{10})\d{6}"'), "epoch"),
    (re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)"), "%Y-%m-%dT%H:%M:%S"),
    (re.compile(r"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)"), "%Y/%m/%d %H:%M:%S"),
    (re.compile(r"^\[\w{3} (\w{3} \d\d \d\d:\d\d:\d\d)\.\d+ (\d{4})\]"), "%b %d %H:%M:%S %Y"),
    (re.compile(r"^\[(\d\d-\w{3}-\d{4} \d\d:\d\d:\d\d)( UTC)?\]"), "%d-%b-%Y %H:%M:%S"),
    (re.compile(r"^(\w{3} [ \d]\d \d\d:\d\d:\d\d) "), "syslog"),
    (re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[,.]"), "%Y-%m-%d %H:%M:%S"),
]
ZONES = {"UTC": 0, "Asia/Kolkata": 19800, "America/New_York": -18000}


def edge_seconds(value):
    if isinstance(value, str):
        return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
    return value / 1e9 if value > 1e14 else value / 1e3 if value > 1e11 else float(value)


def line_seconds(line, zone, year):
    for pattern, form in STAMPS:
        found = pattern.search(line[:400])
        if not found:
            continue
        if form == "epoch":
            return float(found[1])
        text = " ".join(g for g in found.groups() if g and g != " UTC")
        if form == "syslog":
            text, form = f"{year} {found[1]}", "%Y %b %d %H:%M:%S"
        moment = datetime.datetime.strptime(text, form).replace(tzinfo=datetime.timezone.utc).timestamp()
        return moment - (0 if " UTC]" in line[:40] else zone)
    return None


def main():
    source, story, seconds = sys.argv[1].rstrip("/"), sys.argv[2], float(sys.argv[3])
    scenario = json.load(open(f"{source}/scenario.json"))
    zone, skew = ZONES.get(scenario["time_zone"], 0), float(scenario.get("clock_skew_s", 0))
    rows = []
    for path in sorted(glob.glob(f"{source}/logs/cloudflare/**/*.gz", recursive=True)):
        rows += [json.loads(line) for line in gzip.open(path, "rt")]
    failed = sorted(edge_seconds(r["EdgeStartTimestamp"]) for r in rows if r["EdgeResponseStatus"] == 520)
    times = [edge_seconds(r["EdgeStartTimestamp"]) for r in rows]
    # The window with the most failures, two seconds before the first of them.
    best = max(failed, key=lambda t: sum(1 for x in failed if t <= x < t + seconds - 4)) if failed else min(times)
    start, end = best - 2, best - 2 + seconds
    kept = [r for r in rows if start <= edge_seconds(r["EdgeStartTimestamp"]) < end]
    if "--fields" in sys.argv:
        kept = [{k: v for k, v in r.items() if k in FIELDS} for r in kept]
    os.makedirs(f"{story}/cloudflare", exist_ok=True)
    text = "".join(json.dumps(r, separators=(",", ":")) + "\n" for r in kept)
    if "--plain" in sys.argv:
        open(f"{story}/cloudflare/http_requests.ndjson", "w").write(text)
    else:
        with open(f"{story}/cloudflare/http_requests.log.gz", "wb") as raw:
            with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as out:
                out.write(text.encode())
    year = datetime.datetime.fromtimestamp(start, datetime.timezone.utc).year
    for path in sorted(glob.glob(f"{source}/logs/**/*", recursive=True)):
        inner = os.path.relpath(path, f"{source}/logs")
        if os.path.isdir(path) or inner.startswith("cloudflare"):
            continue
        opened = gzip.open if path.endswith(".gz") else open
        lines, keep = [], False
        for line in opened(path, "rt", errors="surrogateescape", newline="\n"):
            moment = line_seconds(line, zone, year)
            if moment is not None:
                keep = start - 2 <= moment - skew <= end + 4
            if keep:
                lines.append(line)
        if lines:
            target = f"{story}/{inner.removesuffix('.gz')}"
            os.makedirs(os.path.dirname(target), exist_ok=True)
            open(target, "w", errors="surrogateescape", newline="\n").writelines(lines)
    truth = open(f"{source}/truth.csv").read().splitlines()
    rays = {r["RayID"] for r in kept}
    want = [line for line in truth[1:] if line.split(",")[0] in rays and line.split(",")[1] == "520"]
    with open(f"{story}/expected.csv", "w") as out:
        out.write("ray_id,cause\n")
        out.writelines(f"{l.split(',')[0]},{l.split(',')[2]}\n" for l in sorted(want))
    print(story, len(kept), "rows", len(want), "520s")


main()
