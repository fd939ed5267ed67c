// Writes logs whose every field wants to break out of a page: node hostile.mjs DIRECTORY
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Each would leave a mark in the page if it were taken for markup, code, a style or a direction. */
export const HOSTILE = [
  "<script>window.owned=1</script>",
  "</script><script>window.owned=2</script>",
  "\"><img src=x onerror=window.owned=3>",
  "' onmouseover='window.owned=4' x='",
  "</code></li></ul></details><h1>owned</h1>",
  "<svg/onload=window.owned=5>",
  "javascript:window.owned=6",
  "{{7*7}}${7*7}<%= 7*7 %>{% raw %}",
  "\u202egpj.exe\u2066\u200f\u061c",
  "\u001b]0;owned\u0007\u001b[31m\u009b2J",
  "&lt;b&gt;&#60;i&#62;&quot;",
  "]]><!--<base href=http://192.0.2.1/>-->",
  "<style>*{display:none}</style><link rel=stylesheet href=//192.0.2.1/a.css>",
  "\\u003cscript\\u003e\\\\\"',;|`",
  "=cmd()|'/c calc'!A0",
  "日本語 ünïcode \u{1f4a5} שלום",
  "x".repeat(6000),
];

/** A second of the span, and the names of the things under attack. */
export function write(directory) {
  const logs = join(directory, "<img src=x onerror=window.owned=7>");
  mkdirSync(join(logs, "cloudflare"), { recursive: true });
  mkdirSync(join(logs, "nginx"), { recursive: true });
  const start = Date.parse("2026-11-22T10:02:00Z");
  const at = seconds => new Date(start + seconds * 1000).toISOString();
  const ray = n => (0x9f8fb49627eb0000n + BigInt(n)).toString(16);
  const month = seconds => `22/Nov/2026:${at(seconds).slice(11, 19)} +0000`;
  const quoted = text => text.replace(/[\\"\u0000-\u001f\u007f]/g, c => "\\x" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"));
  const rows = [], access = [], error = [];
  let n = 0;
  const row = (seconds, status, fields) => {
    n += 1;
    rows.push(JSON.stringify({
      RayID: ray(n), EdgeStartTimestamp: at(seconds), EdgeEndTimestamp: at(seconds + 0.04), EdgeResponseStatus: status, OriginResponseStatus: status === 520 ? 0 : status,
      ClientRequestHost: "shop.example.com", ClientRequestMethod: "GET", ClientRequestURI: `/page/${n}`, ClientIP: "198.51.100.7", ClientASN: 64496, ClientCountry: "de",
      ClientRequestUserAgent: "Mozilla/5.0", ClientRequestSource: "eyeball", ClientRequestBytes: 700, EdgeColoCode: "FRA", EdgeServerIP: "172.70.240.118", OriginIP: "192.0.2.10",
      OriginSSLProtocol: "TLSv1.3", CacheCacheStatus: "dynamic", OriginTCPHandshakeDurationMs: 0, OriginTLSHandshakeDurationMs: 0, OriginResponseHeaderReceiveDurationMs: 26,
      OriginResponseDurationMs: 26, ParentRayID: "00", WorkerSubrequest: false, ...fields,
    }));
    return n;
  };
  const fields = ["ClientRequestHost", "ClientRequestMethod", "ClientRequestURI", "ClientIP", "ClientCountry", "ClientRequestUserAgent", "ClientRequestReferer", "EdgeColoCode",
    "EdgeServerIP", "OriginIP", "OriginSSLProtocol", "CacheCacheStatus", "ClientRequestSource", "EdgePathingStatus"];
  HOSTILE.forEach((value, i) => {
    // Everything at once ...
    const all = Object.fromEntries(fields.map(field => [field, field === "ClientRequestURI" ? "/" + value : value]));
    row(i * 2, 520, all);
    // ... and where everything else is in order, so that the origin's lines are tied and quoted.
    const id = row(i * 2 + 1, 520, { ClientRequestUserAgent: value, ClientRequestURI: `/cart?name=${value}` });
    access.push(`198.51.100.7 - - [${month(i * 2 + 1)}] "GET ${quoted(`/cart?name=${value}`)} HTTP/1.1" 444 0 "${quoted(value)}" "${quoted(value)}" "${ray(id)}"`);
    const stamp = at(i * 2 + 1).slice(0, 19).replaceAll("-", "/").replace("T", " ");
    error.push(`${stamp} [error] 14467#14467: *${id} connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream, client: 198.51.100.7, server: ${value}, request: "GET ${quoted(`/cart?name=${value}`)} HTTP/1.1", upstream: "fastcgi://unix:/run/php/www.sock:", host: "${quoted(value)}"`);
    error.push(`${value} a line of no format`);
    for (let ok = 0; ok < 3; ok++) {
      const good = row(i * 2 + ok * 0.3, 200, {});
      access.push(`198.51.100.7 - - [${month(i * 2 + ok * 0.3)}] "GET /page/${good} HTTP/1.1" 200 512 "-" "Mozilla/5.0" "${ray(good)}"`);
    }
  });
  writeFileSync(join(logs, "cloudflare", "\"><script>window.owned=8.log"), rows.join("\n") + "\n" + HOSTILE.join("\n") + "\n");
  writeFileSync(join(logs, "nginx", "access.log"), access.join("\n") + "\n");
  writeFileSync(join(logs, "nginx", "error.log"), error.join("\n") + "\n");
  return logs;
}

if (process.argv[1] === import.meta.filename) write(process.argv[2]);
