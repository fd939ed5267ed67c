#!/usr/bin/env python3
"""Draws a set of scenarios by lot: prints one line for each.

    lab/draw.py [SEED]

The seed is the day of recording; 20261123 gave the scenarios `held6-...`. A line is
cause | stack | release | access log | addresses restored | zone | clock | wrapper | edge file | OriginResponseStatus |
distance | job | protocol to the origin | coverage | traffic. A combination that cannot be has to give way to the nearest
that can, and the scenario says so.
"""

import random
import sys

FPM = "nginx+PHP-FPM"
PREFORK = "Apache+mod_php (prefork)"
EVENT = "Apache proxy_fcgi/http to a backend (event)"
PROXY = "nginx proxy to an application"
MAPS_444 = "a site that maps 5xx to return 444 (nginx)"
TERMINATOR = "TLS/HTTP-2 terminator (hitch or haproxy) in front"

# Which stacks can have which cause.
CAN = {
    "worker-crash": [FPM, PREFORK, EVENT, PROXY, MAPS_444],
    "oom-kill": [FPM, PREFORK, PROXY, MAPS_444],
    "pool-exhausted": [FPM, PROXY, EVENT, MAPS_444],
    "timeout-kill": [FPM, MAPS_444, PROXY],
    "server-restart": [FPM, PREFORK, EVENT, PROXY],
    "server-io": [FPM, PROXY, MAPS_444],
    "app-fatal": [FPM, MAPS_444, PROXY],
    "plugin-fault": [FPM, MAPS_444],
    "edge-ip-blocked": [FPM, PREFORK, PROXY, EVENT],
    "client-blocked": [FPM, PREFORK, PROXY, EVENT],
    "rule-dropped": [FPM, PREFORK, PROXY, EVENT],
    "throttled": [FPM, PROXY, PREFORK],
    "headers-too-large": [FPM, PREFORK, PROXY, EVENT],
    "keepalive-race": [FPM, PREFORK, PROXY, EVENT],
    "malformed-response": [FPM, PREFORK, PROXY, EVENT],
    "backend-closed": [EVENT, PROXY],
    "proxy-protocol": [FPM, PROXY, TERMINATOR],
    "http2-fault": [TERMINATOR, FPM, PREFORK],
    "request-rejected": [FPM, PREFORK, PROXY],
    "origin-pull-rejected": [FPM, PREFORK, PROXY],
    "wrong-origin": [FPM, PREFORK],
    "edge-incident": [FPM, PREFORK, PROXY],
    "origin-520": [FPM, PREFORK, PROXY, EVENT],
}
ANY = [FPM, PREFORK, EVENT, PROXY, MAPS_444]

# The other columns, each drawn on its own; what stands twice is twice as likely.
COLUMNS = [
    ["Debian 11", "Debian 12", "Debian 13", "Debian testing"],
    [
        "combined",
        "combined + ray",
        "JSON + ray",
        "JSON without ray",
        "nginx main / vhost_combined",
        "own format with timings (and upstream fields where nginx)",
        "own format + ray",
    ],
    ["addresses restored: yes", "addresses restored: no"],
    ["UTC", "America/New_York", "Asia/Kolkata", "Europe/Berlin", "Australia/Sydney", "America/Sao_Paulo"],
    [f"clock {s:+d} s" for s in [0, 0, 0, -90, -37, -5, 2, 12, 45]],
    ["plain files", "plain files", "error log through syslog", "journal", "Docker json-file"],
    ["NDJSON, ns", "NDJSON, s", "NDJSON, RFC 3339", "NDJSON, ms", "CSV, RFC 3339"],
    ["OriginResponseStatus 0", "OriginResponseStatus 520"],
    ["near origin", "far origin"],
    [f"job: {j}" for j in ["all rows", "all rows", "all rows", "5xx only", "sampled 50 %", "14 fields"]],
    [
        "HTTP/1.1 to the origin",
        "HTTP/1.1 to the origin",
        "HTTP/2 to the origin where the server speaks it",
    ],
    [
        "whole coverage",
        "whole coverage",
        "whole coverage",
        "origin logs cover half",
        "an older rotated .gz beside",
    ],
    [f"traffic: {t}" for t in ["shop", "API with few clients", "blog with bots", "uploads and long answers"]],
]


def draw(seed):
    lot = random.Random(seed)
    causes = sorted(CAN)
    lot.shuffle(causes)
    rows = causes[:17] + ["mixed: " + " + ".join(lot.sample(causes, 2)), "control-no-520", "cannot-tell"]
    for cause in rows:
        cells = [cause, lot.choice(CAN.get(cause, ANY))]
        cells += [lot.choice(column) for column in COLUMNS]
        yield "|".join(cells)


if __name__ == "__main__":
    for row in draw(int(sys.argv[1]) if len(sys.argv) > 1 else 20261123):
        print(row)
