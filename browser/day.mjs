// Writes a day of a quiet site with three bursts of 520s, the longest of a minute: node day.mjs DIRECTORY
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export function write(directory) {
  mkdirSync(join(directory, "nginx"), { recursive: true });
  const start = Date.parse("2026-11-22T00:00:00Z"), colos = ["FRA", "AMS", "LHR"], pages = ["/", "/cart", "/product/17", "/search?q=tea", "/a-page-with-a-long-name/and-another/long-part-of-its-path/that-goes-on"];
  const rows = [], access = [], error = [];
  const add = (seconds, status, n) => {
    const at = new Date(start + seconds * 1000), ray = (0x9f8fb49600000000n + BigInt(rows.length)).toString(16);
    const uri = pages[n % pages.length], client = `198.51.100.${n % 200 + 1}`, agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0.0.0";
    rows.push(JSON.stringify({
      RayID: ray, EdgeStartTimestamp: at.toISOString(), EdgeEndTimestamp: new Date(at.getTime() + 60).toISOString(), EdgeResponseStatus: status, OriginResponseStatus: status === 520 ? 0 : status,
      ClientRequestHost: "shop.example.com", ClientRequestMethod: n % 9 ? "GET" : "POST", ClientRequestURI: uri, ClientIP: client, ClientRequestUserAgent: agent, ClientRequestSource: "eyeball",
      EdgeColoCode: colos[n % 3], EdgeServerIP: `172.70.240.${n % 40 + 1}`, OriginIP: "192.0.2.10", CacheCacheStatus: "dynamic", OriginSSLProtocol: "TLSv1.3", OriginTCPHandshakeDurationMs: 0,
      OriginTLSHandshakeDurationMs: 0, OriginResponseHeaderReceiveDurationMs: 50, OriginResponseDurationMs: 50, ParentRayID: "00", WorkerSubrequest: false,
    }));
    const local = `22/Nov/2026:${at.toISOString().slice(11, 19)} +0000`, request = `${n % 9 ? "GET" : "POST"} ${uri} HTTP/1.1`;
    access.push(`${client} - - [${local}] "${request}" ${status === 520 ? "444 0" : status + " 5120"} "-" "${agent}" "${ray}"`);
    if (status === 520) error.push(`${at.toISOString().slice(0, 19).replaceAll("-", "/").replace("T", " ")} [error] 900#900: *${rows.length} connect() to unix:/run/php/www.sock failed (11: Resource temporarily unavailable) while connecting to upstream, client: ${client}, server: shop.example.com, request: "${request}", upstream: "fastcgi://unix:/run/php/www.sock:", host: "shop.example.com"`);
  };
  // One request every seven seconds, more by day; bursts at 03:00, 14:30 and 21:10.
  for (let second = 0, n = 0; second < 86_400; second += 3 + Math.round(6 * Math.cos(Math.PI * second / 86_400) ** 2), n++) add(second, 200, n);
  for (const [from, seconds] of [[3 * 3600, 12], [14.5 * 3600, 60], [21 * 3600 + 600, 5]]) for (let i = 0; i < seconds * 2; i++) add(from + i / 2, i % 7 === 6 ? 200 : 520, i);
  writeFileSync(join(directory, "http_requests.ndjson"), rows.join("\n") + "\n");
  writeFileSync(join(directory, "nginx", "access.log"), access.join("\n") + "\n");
  writeFileSync(join(directory, "nginx", "error.log"), error.join("\n") + "\n");
}

if (process.argv[1] === import.meta.filename) write(process.argv[2]);
