#!/usr/bin/env python3
"""Fills fuzz/corpus/ (not committed) with seeds for every target.

    fuzz/seed.py [DIRECTORY OF LOGS]...

Takes the head of every file below sample-logs/ and below the directories given, cut to 4 KB, one record, and a
few records at a time, and hand-written seeds for what no log holds. Fuzz only with logs that you may keep.
"""

import bz2
import gzip
import hashlib
import lzma
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent
CORPUS = ROOT / "corpus"
RAY = "9e0ad402c9afa70a"


def put(target, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def heads(directories):
    """(name, first bytes) of every readable file, decompressed."""
    for directory in directories:
        for path in sorted(pathlib.Path(directory).rglob("*")):
            if not path.is_file() or path.suffix in {".md", ".html", ".parquet", ".har"}:
                continue
            data = path.open("rb").read(1 << 16)
            try:
                if data[:2] == b"\x1f\x8b":
                    data = gzip.open(path).read(1 << 16)
                elif data[:3] == b"BZh":
                    data = bz2.open(path).read(1 << 16)
                elif data[:5] == b"\xfd7zXZ":
                    data = lzma.open(path).read(1 << 16)
            except (OSError, EOFError):
                continue
            yield path.name, data


def samples():
    """The samples of every format, as they stand in the sources."""
    for path in sorted((ROOT.parent / "crates/cfray-formats/src").glob("*.rs")):
        text = path.read_text()
        found = re.search(r"samples: &\[(.*?)\n    \],", text, re.S)
        if not found:
            continue
        for raw, plain in re.findall(r'r#"(.*?)"#|"((?:[^"\\]|\\.)*)"', found.group(1), re.S):
            yield (raw or plain.encode().decode("unicode_escape")).encode()


def row(**fields):
    import json

    return json.dumps(fields).encode() + b"\n"


def main():
    for sample in samples():
        put("format", sample)
    texts = list(heads([ROOT.parent / "sample-logs", *sys.argv[1:]]))
    for name, data in texts:
        lines = data.splitlines(keepends=True)
        pieces = [data[:2048], b"".join(lines[:1])[:2048], b"".join(lines[3:8])[:3000]]
        for piece in pieces:
            put("format", piece)
            put("format", bytes([len(piece) % 251]) + piece)
            if piece[:1] in b"{[":
                for target in ("ndjson", "merge"):
                    put(target, piece)
            put("pipeline", piece)
    put("merge", b"--\n".join([row(RayID=RAY, EdgeResponseStatus=520), row(RayID=RAY[:-1] + "b", EdgeResponseStatus=200)]))
    edges = [d for n, d in texts if d[:1] == b"{" and b"EdgeStartTimestamp" in d[:4000]]
    others = [d for n, d in texts if d[:1] != b"{"]
    for i, edge in enumerate(edges[:40]):
        failing = [line for line in edge.splitlines(keepends=True) if b":520" in line][:2]
        body = b"".join(failing or edge.splitlines(keepends=True)[:2])
        for other in others[i * 3 : i * 3 + 3]:
            put("pipeline", body + b"--\n" + b"".join(other.splitlines(keepends=True)[:6])[:2500])
    for template in [
        b'$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $http_cf_ray',
        b"log_format x escape=json '{\"t\":\"$time_iso8601\",\"ray\":\"$http_cf_ray\",\"st\":$status}';",
        b'LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" %I %O %{CF-Ray}i" x',
        b'ErrorLogFormat "[%{cu}t] [%-m:%l] [pid %P:tid %T] %7F: %E: [client\\ %a] %M% ,\\ referer\\ %{Referer}i"',
        b'access.format = "%R - %u %t \\"%m %r%Q%q\\" %s %f %{milli}d %{kilo}M %C%%"',
        b"%{%Y-%m-%d %H:%M:%S}t.%{usec_frac}t %m %U%q %>s %D",
    ]:
        for _, data in texts[:40]:
            put("template", template + b"\n" + b"".join(data.splitlines(keepends=True)[:2])[:1000])
        put("template", template + b"\n")
    for conf in (
        b"http {\n  log_format m '$remote_addr \"$request\"';\n  server { listen 443 ssl; return 444; }\n}\n",
        b"# configuration file /etc/nginx/nginx.conf:\nevents {}\n# configuration file /etc/nginx/conf.d/a.conf:\nserver { }\n",
        b"<VirtualHost *:80>\n  KeepAliveTimeout 5\n  LogFormat \"%h %O\" x\n</VirtualHost>\n<IfModule a>\nInclude b\\\nc\n</IfModule>\n",
        b"[www]\npm.max_children = 5\nrequest_terminate_timeout=30s\ninclude=/etc/php/*.conf\n",
    ):
        put("serverconf", conf)
    plain = b"one line\nanother line\n" * 20
    for packed in (gzip.compress(plain), bz2.compress(plain), lzma.compress(plain), gzip.compress(plain) * 2, gzip.compress(b"0" * 300_000), plain):
        put("inflate", packed)
        put("inflate", packed[:-7])
    put("inflate", bytes.fromhex("28b52ffd2400010000") + b"\x99\xe9\xd8\x51")
    put("config", (ROOT.parent / "cfray.example.toml").read_bytes())
    for text in ("2h", "2026-11-22 10:00", "520-527,530", "20G", "Europe/Berlin", "+05:30", "worker-crash,any:0.7", "web1/*=Asia/Kolkata"):
        put("config", text.encode())
    for text in (RAY, f"{RAY}-FRA,2026-11-22T12:24:07Z,www.example.com,GET,\"/a,b\"", f"ray,time\n{RAY},1795350247"):
        put("rays", text.encode() + b"\n")
    for text in ("2026-11-22T12:24:07.123456789Z", "2026-11-22T12:24:07+05:30", "1795350247123456789", "1795350247.5", "1.795350247e9", "9999-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "22/Nov/2026:12:24:07 +0000", "Nov 22 12:24:07", "22-Nov-2026 12:24:07 Europe/Berlin", "Sun Nov 22 12:24:07.123456 2026", "2026/11/22 12:24:07"):
        put("time", text.encode())
    put("csv", b"/a\xffh\xff\"quoted\"\xff\r\n\xff=1+1\xff,")
    put("csv", b"RayID,EdgeResponseStatus,ClientRequestURI,ClientRequestHost\n9e0ad402c9afa70a,520,\"/a\n\"\"b\"\"\",h\n")
    for folder in sorted(CORPUS.iterdir()):
        print(f"{folder.name}: {len(list(folder.iterdir()))} seeds")


main()
