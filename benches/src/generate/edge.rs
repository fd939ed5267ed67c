//! A request as Logpush writes it: one JSON object a line, names in alphabetical order.

use super::row::Row;
use super::text::Text;

/// Fields of a row before the job's field list was cut down.
pub const FIELDS: usize = 78;
/// Fields after.
pub const FEWER_FIELDS: usize = 70;

const ORIGIN_IP: &str = "192.0.2.14";
const ZONE: &str = "example.com";

/// Appends the row with its newline; `all` fields, or without those that diagnose nothing.
pub fn write(row: &Row, all: bool, out: &mut Text) {
    let origin = row.origin;
    let failed = row.fate.fails();
    let robot = row.agent.source != "Machine Learning";
    let body = if failed { 6_852 + row.extra_us % 160 } else { row.body };
    let seen = if robot { 1 } else { 40 + row.visitor % 59 };
    out.s("{");
    if all {
        out.s("\"BotScore\":").n(seen).s(",\"BotScoreSrc\":\"").s(row.agent.source).s("\",\"BotTags\":[],");
    }
    out.s("\"CacheCacheStatus\":\"").s(row.cache).s("\",\"CacheResponseBytes\":");
    out.n(if failed || row.stopped { 0 } else { body + 230 }).s(",\"CacheResponseStatus\":").n(if row.stopped {
        0
    } else {
        row.edge_status
    });
    out.s(",\"CacheTieredFill\":false,\"ClientASN\":").n(row.place.asn);
    if all {
        out.s(",\"ClientCity\":\"").s(row.place.city).s("\"");
    }
    out.s(",\"ClientCountry\":\"").s(row.place.country).s("\",\"ClientDeviceType\":\"").s(row.agent.device);
    out.s("\",\"ClientIP\":\"");
    row.write_visitor(out);
    out.s("\",\"ClientIPClass\":\"").s(row.agent.class).s("\",\"ClientMTLSAuthStatus\":\"unknown\",\"ClientRequestBytes\":");
    out.n(900 + row.uri.bytes.len() as u64 + row.visitor % 700).s(",\"ClientRequestHost\":\"").s(row.host);
    out.s("\",\"ClientRequestMethod\":\"").s(row.method).s("\",\"ClientRequestPath\":\"").s(row.path());
    out.s("\",\"ClientRequestProtocol\":\"").s(["HTTP/2", "HTTP/3", "HTTP/2", "HTTP/1.1"][(row.visitor % 4) as usize]);
    out.s("\",\"ClientRequestReferer\":\"").s(row.referrer).s("\",\"ClientRequestScheme\":\"https\",\"ClientRequestSource\":\"eyeball\"");
    out.s(",\"ClientRequestURI\":\"").s(&row.uri.bytes).s("\",\"ClientRequestUserAgent\":\"").s(row.agent.text);
    out.s("\",\"ClientSSLCipher\":\"AEAD-AES128-GCM-SHA256\",\"ClientSSLProtocol\":\"TLSv1.3\",\"ClientSrcPort\":");
    out.n(1_024 + (row.ray & 0x7fff)).s(",\"ClientTCPRTTMs\":").n(row.visitor % 67).s(",\"ClientXRequestedWith\":\"\",\"Cookies\":{");
    if !robot {
        out.s("\"consent\":\"v2-all\",\"ab_bucket\":\"").n(row.visitor % 20).s("\"");
    }
    out.s("},\"EdgeCFConnectingO2O\":false,\"EdgeColoCode\":\"").s(row.colo.code).s("\",\"EdgeColoID\":").n(row.colo.id);
    out.s(",\"EdgeEndTimestamp\":").n(row.end_ns() as u64).s(",\"EdgePathingOp\":\"").s(if row.stopped { "ban" } else { "wl" });
    out.s("\",\"EdgePathingSrc\":\"macro\",\"EdgePathingStatus\":\"").s(if robot { "se" } else { "nr" });
    out.s("\",\"EdgeRequestHost\":\"").s(if origin { row.host } else { "" }).s("\",\"EdgeResponseBodyBytes\":").n(body);
    out.s(",\"EdgeResponseBytes\":").n(body + 480 + row.extra_us % 300);
    out.s(",\"EdgeResponseCompressionRatio\":").s(if row.php && !failed { "3.72" } else { "0" });
    out.s(",\"EdgeResponseContentType\":\"").s(if failed { "text/html" } else { row.content });
    out.s("\",\"EdgeResponseStatus\":").n(row.edge_status).s(",\"EdgeServerIP\":\"");
    if origin {
        out.s(row.colo.network).n(row.edge_host);
    }
    out.s("\",\"EdgeStartTimestamp\":").n(row.start_ns as u64).s(",\"EdgeTimeToFirstByteMs\":").n(row.first_byte_ms());
    out.s(",\"OriginDNSResponseTimeMs\":0,\"OriginIP\":\"").s(if origin { ORIGIN_IP } else { "" });
    out.s("\",\"OriginRequestHeaderSendDurationMs\":0,\"OriginResponseBytes\":0,\"OriginResponseDurationMs\":").n(row.origin_ms());
    if all {
        out.s(",\"OriginResponseHTTPExpires\":\"\",\"OriginResponseHTTPLastModified\":\"\"");
    }
    out.s(",\"OriginResponseHeaderReceiveDurationMs\":").n(row.header_ms).s(",\"OriginResponseStatus\":").n(row.origin_status);
    out.s(",\"OriginResponseTime\":").n(row.origin_ms() * 1_000_000);
    out.s(",\"OriginSSLProtocol\":\"").s(if origin { "TLSv1.3" } else { "unknown" });
    out.s("\",\"OriginTCPHandshakeDurationMs\":").n(row.tcp_ms).s(",\"OriginTLSHandshakeDurationMs\":").n(row.tls_ms);
    out.s(",\"ParentRayID\":\"00\",\"RayID\":\"").hex(row.ray, 16);
    out.s("\",\"RequestHeaders\":{\"accept-language\":\"").s(row.place.language).s("\",\"sec-fetch-mode\":\"");
    out.s(if row.php { "navigate" } else { "no-cors" }).s("\"},\"ResponseHeaders\":{");
    if !failed && !row.stopped {
        out.s("\"cache-control\":\"").s(if row.php { "private, no-store" } else { "public, max-age=31536000, immutable" });
        out.s("\",\"server\":\"nginx\",\"vary\":\"Accept-Encoding\"");
    }
    out.s("},\"SecurityAction\":\"").s(if row.stopped { "block" } else { "" });
    out.s("\",\"SecurityActions\":[").s(if row.stopped { "\"block\"" } else { "" });
    out.s("],\"SecurityRuleDescription\":\"").s(if row.stopped { "Login only from our offices" } else { "" });
    out.s("\",\"SecurityRuleID\":\"").s(if row.stopped { RULE } else { "" }).s("\",\"SecurityRuleIDs\":[");
    if row.stopped {
        out.s("\"").s(RULE).s("\"");
    }
    out.s("],\"SecuritySources\":[").s(if row.stopped { "\"firewallCustom\"" } else { "" });
    out.s("],\"SmartRouteColoID\":0,\"UpperTierColoID\":0");
    if all {
        out.s(",\"WAFAttackScore\":").n(60 + row.visitor % 38);
    }
    out.s(",\"WorkerCPUTime\":0,\"WorkerStatus\":\"unknown\",\"WorkerSubrequest\":false,\"WorkerSubrequestCount\":0");
    if all {
        out.s(",\"ZoneID\":287679396");
    }
    out.s(",\"ZoneName\":\"").s(ZONE).s("\"}\n");
}

const RULE: &str = "5c1f7a0b9d3e4f6a8b2c4d6e8f0a1b3c";
