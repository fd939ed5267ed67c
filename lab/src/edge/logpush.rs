//! Logpush NDJSON of the recorded rows: about 70 fields, files cut by processing time, unsorted.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Map, Value, json};

use super::{Edge, Origin, Row, Why};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    Unix,
    UnixNano,
    Rfc3339,
    Rfc3339Ms,
}

impl Stamp {
    pub fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::UnixNano => "unixnano",
            Self::Rfc3339 => "rfc3339",
            Self::Rfc3339Ms => "rfc3339ms",
        }
    }

    fn value(self, t: SystemTime) -> Value {
        let nanos = t.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i64;
        let ts = Timestamp::from_nanosecond(nanos.into()).expect("in range");
        match self {
            Self::Unix => json!(nanos / 1_000_000_000),
            Self::UnixNano => json!(nanos),
            Self::Rfc3339 => json!(ts.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            Self::Rfc3339Ms => json!(ts.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()),
        }
    }
}

/// What the Logpush job delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    All,
    /// `filter`: only answers of 500 and more.
    Only5xx,
    /// `sample_rate`, keeps about this share in percent.
    Sampled(u32),
    /// Every row, but only fourteen fields.
    Fourteen,
    /// Every row as CSV, with the names in a first row (`batch_prefix`).
    Csv,
}

const FOURTEEN: &[&str] = &[
    "ClientIP",
    "ClientRequestHost",
    "ClientRequestMethod",
    "ClientRequestURI",
    "EdgeColoCode",
    "EdgeEndTimestamp",
    "EdgeResponseBytes",
    "EdgeResponseStatus",
    "EdgeStartTimestamp",
    "OriginIP",
    "OriginResponseStatus",
    "RayID",
    "ClientRequestUserAgent",
    "CacheCacheStatus",
];

pub struct Options {
    pub stamp: Stamp,
    pub job: Job,
    pub status_on_520: u16,
    pub zone: String,
    pub zone_id: u32,
    pub ipv6: bool,
}

/// Writes the files and returns the rays that the job delivered.
pub fn write(edge: &Edge, rows: &[Row], options: &Options, dir: &Path, rng: &mut StdRng) -> Result<Vec<String>> {
    let origins = edge.origins.lock().unwrap().clone();
    let mut delivered: Vec<(SystemTime, &Row)> = rows
        .iter()
        .filter(|r| match options.job {
            Job::Only5xx => r.edge_status >= 500,
            Job::Sampled(percent) => rng.random_range(0..100) < percent,
            Job::All | Job::Fourteen | Job::Csv => true,
        })
        .map(|r| (r.end, r))
        .collect();
    for (processed, _) in &mut delivered {
        *processed += Duration::from_millis(rng.random_range(900..7000));
    }
    delivered.sort_by_key(|(t, _)| *t);
    let rays = delivered.iter().map(|(_, r)| r.ray.clone()).collect();
    let (Some(first), Some(last)) = (delivered.first().map(|d| d.0), delivered.last().map(|d| d.0)) else {
        return Ok(rays);
    };
    let mut at = 0;
    let mut from = first;
    while at < delivered.len() {
        let mut to = from + Duration::from_secs(rng.random_range(20..36));
        if to + Duration::from_secs(8) > last {
            to = last + Duration::from_secs(1);
        }
        let count = delivered[at..].iter().take_while(|(t, _)| *t < to).count();
        let mut part: Vec<&Row> = delivered[at..at + count].iter().map(|(_, r)| *r).collect();
        part.shuffle(rng);
        at += count;
        let stamp = |t: SystemTime, f: &str| -> Result<String> { Ok(Timestamp::try_from(t)?.strftime(f).to_string()) };
        let day = dir.join(stamp(from, "%Y%m%d")?);
        std::fs::create_dir_all(&day)?;
        let format = "%Y%m%dT%H%M%SZ";
        let name = format!("{}_{}_{:08x}.log.gz", stamp(from, format)?, stamp(to, format)?, rng.random::<u32>());
        let mut gz = GzEncoder::new(std::fs::File::create(day.join(name))?, Compression::best());
        for (i, row) in part.into_iter().enumerate() {
            if options.job == Job::Csv {
                csv_row(&mut gz, &record(edge, &origins, row, options), i == 0)?;
                continue;
            }
            serde_json::to_writer(&mut gz, &record(edge, &origins, row, options))?;
            gz.write_all(b"\n")?;
        }
        gz.finish()?;
        from = to;
    }
    Ok(rays)
}

/// Strings are quoted, numbers bare; lists and objects are JSON in a string.
fn csv_row(out: &mut impl std::io::Write, record: &Value, first: bool) -> Result<()> {
    let Some(map) = record.as_object() else { return Ok(()) };
    if first {
        writeln!(out, "{}", map.keys().map(|k| format!("\"{k}\"")).collect::<Vec<_>>().join(","))?;
    }
    let quoted = |t: &str| format!("\"{}\"", t.replace('"', "\"\""));
    let cells = map.values().map(|v| match v {
        Value::String(s) => quoted(s),
        Value::Array(_) | Value::Object(_) => quoted(&v.to_string()),
        other => other.to_string(),
    });
    writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
    Ok(())
}

fn ms(d: Duration) -> u64 {
    d.as_millis() as u64
}

fn record(edge: &Edge, origins: &[Origin], row: &Row, options: &Options) -> Value {
    let req = &row.req;
    let v = &req.visitor;
    let colo = &edge.colos[v.colo];
    let contacted = !matches!(row.why, Why::Cached | Why::EdgeOnly);
    let failed = row.edge_status >= 520 && row.why != Why::Answer;
    let origin_status = if row.edge_status == 520 && failed && contacted { options.status_on_520 } else { row.origin_status };
    // A stable pseudo-random number for fields that only have to look plausible.
    let h = u64::from_str_radix(&row.ray, 16).unwrap_or(0);
    let pick = |n: u64, salt: u32| (h.rotate_left(salt) % n) as usize;
    let path = req.uri.split('?').next().unwrap_or("/");
    let human = v.ua.starts_with("Mozilla/5.0 (") && !v.ua.contains("bot");
    let cache = match (row.why, req.cacheable) {
        (Why::Cached, _) => "hit",
        (Why::EdgeOnly, _) => "none",
        (_, true) if failed => "miss",
        (_, true) => ["miss", "miss", "expired"][pick(3, 3)],
        _ if row.edge_status == 403 => "dynamic",
        _ => "dynamic",
    };
    let page = if failed { 6800 + pick(400, 7) } else { row.body_len };
    let head_out = 420 + pick(500, 11);
    let body_type = if failed { "text/html" } else { row.content_type.as_str() };
    let mut m = Map::new();
    let mut put = |k: &str, v: Value| {
        m.insert(k.to_owned(), v);
    };
    put("BotScore", json!(if human { 70 + pick(29, 5) } else { 1 + pick(28, 5) }));
    put("BotScoreSrc", json!("Machine Learning"));
    put("BotTags", json!([]));
    put("CacheCacheStatus", json!(cache));
    put("CacheResponseBytes", json!(if failed { 0 } else { row.body_len + row.head_len }));
    put("CacheResponseStatus", json!(if contacted || row.why == Why::Cached { row.edge_status } else { 0 }));
    put("CacheTieredFill", json!(false));
    put("ClientASN", json!(v.asn));
    put("ClientCountry", json!(v.country));
    put("ClientDeviceType", json!(if v.ua.contains("Mobile") || v.ua.contains("iPhone") { "mobile" } else { "desktop" }));
    put("ClientIP", json!(v.ip));
    put("ClientIPClass", json!("noRecord"));
    put("ClientMTLSAuthStatus", json!("unknown"));
    put("ClientRequestBytes", json!(row.request_bytes.max(400) + 300 + pick(700, 13)));
    put("ClientRequestHost", json!(req.host));
    put("ClientRequestMethod", json!(req.method));
    put("ClientRequestPath", json!(path));
    put("ClientRequestProtocol", json!(if human { ["HTTP/2", "HTTP/2", "HTTP/3", "HTTP/1.1"][pick(4, 17)] } else { "HTTP/1.1" }));
    put("ClientRequestReferer", json!(req.referer));
    put("ClientRequestScheme", json!("https"));
    put("ClientRequestSource", json!(req.source));
    put("ClientRequestURI", json!(req.uri));
    put("ClientRequestUserAgent", json!(v.ua));
    put("ClientSSLCipher", json!("AEAD-AES128-GCM-SHA256"));
    put("ClientSSLProtocol", json!("TLSv1.3"));
    put("ClientSrcPort", json!(20000 + pick(45000, 19)));
    put("ClientTCPRTTMs", json!(4 + pick(60, 23)));
    put("ClientXRequestedWith", json!(""));
    put("EdgeCFConnectingO2O", json!(contacted && origins[req.origin].inner_zone));
    put("EdgeColoCode", json!(colo.code));
    put("EdgeColoID", json!(colo.id));
    put("EdgeEndTimestamp", options.stamp.value(row.end));
    put("EdgePathingOp", json!("wl"));
    put("EdgePathingSrc", json!("macro"));
    put("EdgePathingStatus", json!(if human { "nr" } else { "se" }));
    put("EdgeRequestHost", json!(if contacted { req.host.as_str() } else { "" }));
    put("EdgeResponseBodyBytes", json!(page));
    put("EdgeResponseBytes", json!(page + head_out));
    put("EdgeResponseCompressionRatio", json!(0));
    put("EdgeResponseContentType", json!(body_type));
    put("EdgeResponseStatus", json!(row.edge_status));
    let edge_ip = if contacted { colo.edges[v.edge].shown(options.ipv6) } else { String::new() };
    put("EdgeServerIP", json!(edge_ip));
    put("EdgeStartTimestamp", options.stamp.value(row.start));
    let total = row.end.duration_since(row.start).unwrap_or_default();
    put("EdgeTimeToFirstByteMs", json!(ms(total) + pick(4, 29) as u64));
    put("OriginDNSResponseTimeMs", json!(0));
    put("OriginIP", json!(if contacted { origins[req.origin].public.as_str() } else { "" }));
    put("OriginRequestHeaderSendDurationMs", json!(0));
    put("OriginResponseBytes", json!(0));
    put("OriginResponseDurationMs", json!(ms(row.origin_total)));
    put("OriginResponseHTTPExpires", json!(""));
    put("OriginResponseHTTPLastModified", json!(row.last_modified));
    put("OriginResponseHeaderReceiveDurationMs", json!(ms(row.header)));
    put("OriginResponseStatus", json!(origin_status));
    put("OriginResponseTime", json!(row.origin_total.as_nanos() as u64));
    put("OriginSSLProtocol", json!(if contacted { row.tls_proto } else { "unknown" }));
    put("OriginTCPHandshakeDurationMs", json!(ms(row.tcp)));
    put("OriginTLSHandshakeDurationMs", json!(ms(row.tls)));
    put("ParentRayID", json!(if row.parent.is_empty() { "00" } else { row.parent.as_str() }));
    put("RayID", json!(row.ray));
    put("SecurityAction", json!(""));
    put("SecurityActions", json!([]));
    put("SecurityRuleDescription", json!(""));
    put("SecurityRuleID", json!(""));
    put("SecurityRuleIDs", json!([]));
    put("SecuritySources", json!([]));
    put("SmartRouteColoID", json!(0));
    put("UpperTierColoID", json!(0));
    put("WAFAttackScore", json!(0));
    put("WorkerCPUTime", json!(0));
    let parent_of_worker = req.worker && row.parent.is_empty() && row.why == Why::EdgeOnly;
    put("WorkerStatus", json!(if parent_of_worker { "ok" } else { "unknown" }));
    put("WorkerSubrequest", json!(!row.parent.is_empty()));
    put("WorkerSubrequestCount", json!(u8::from(parent_of_worker)));
    put("ZoneID", json!(options.zone_id));
    put("ZoneName", json!(options.zone));
    if options.job == Job::Fourteen {
        m.retain(|k, _| FOURTEEN.contains(&k.as_str()));
    }
    Value::Object(m)
}
