//! The table of columns: CSV, Parquet, NDJSON and the documentation read it.

use cfray_model::Stamp;
use cfray_model::report::Row;
use cfray_model::verdict::Evidence;
use std::borrow::Cow;

/// Type of a column. Each is one type of Parquet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnType {
    /// UTF-8 text.
    Text,
    /// 16-bit integer: statuses.
    Int16,
    /// 32-bit integer: milliseconds and bytes.
    Int32,
    /// 64-bit integer: numbers that others assign.
    Int64,
    /// 64-bit float.
    Float,
    /// Truth value.
    Bool,
    /// Milliseconds since the epoch, UTC.
    Time,
    /// List of evidence items.
    Evidence,
}

impl ColumnType {
    /// Name for the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int16 | Self::Int32 | Self::Int64 => "int",
            Self::Float => "float",
            Self::Bool => "bool",
            Self::Time => "timestamp",
            Self::Evidence => "list",
        }
    }
}

/// One cell. Absent is not empty: a logged empty string is `Text("")`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Time(Stamp),
    Evidence(&'a [Evidence]),
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Fixed name.
    pub name: &'static str,
    /// Type.
    pub kind: ColumnType,
    /// Meaning, one clause.
    pub about: &'static str,
    /// May the text come from outside? Then CSV neutralises what a spreadsheet would run.
    pub foreign: bool,
    /// Reads the cell.
    pub get: for<'a> fn(&'a Row) -> Value<'a>,
}

/// Every column, in the order of the contract.
pub fn columns() -> &'static [Column] {
    COLUMNS
}

const fn ours(name: &'static str, kind: ColumnType, about: &'static str, get: for<'a> fn(&'a Row) -> Value<'a>) -> Column {
    Column { name, kind, about, foreign: false, get }
}

const fn foreign(name: &'static str, about: &'static str, get: for<'a> fn(&'a Row) -> Value<'a>) -> Column {
    Column { name, kind: ColumnType::Text, about, foreign: true, get }
}

use ColumnType::{Bool, Float, Int16, Int32, Int64, Text, Time};

static COLUMNS: &[Column] = &[
    ours("ray_id", Text, "16 hex digits, no colo suffix", |r| r.edge.ray.map_or(Value::Absent, |ray| Value::Text(ray.to_string().into()))),
    ours("edge_time", Time, "EdgeStartTimestamp, UTC", |r| time(r.edge.start)),
    ours("edge_end_time", Time, "EdgeEndTimestamp, UTC", |r| time(r.edge.end)),
    foreign("host", "ClientRequestHost", |r| text(&r.edge.host)),
    foreign("method", "ClientRequestMethod", |r| text(&r.edge.method)),
    foreign("uri", "ClientRequestURI", |r| text(&r.edge.uri)),
    foreign("client_ip", "ClientIP", |r| text(&r.edge.client_ip)),
    ours("client_asn", Int64, "ClientASN", |r| int(r.edge.client_asn)),
    foreign("client_country", "ClientCountry", |r| text(&r.edge.client_country)),
    foreign("user_agent", "ClientRequestUserAgent", |r| text(&r.edge.user_agent)),
    foreign("colo", "EdgeColoCode", |r| text(&r.edge.colo)),
    foreign("edge_ip", "EdgeServerIP", |r| text(&r.edge.edge_ip)),
    foreign("origin_ip", "OriginIP", |r| text(&r.edge.origin_ip)),
    foreign("server", "which server's logs it was tied to", |r| word(&r.server)),
    ours("edge_status", Int16, "EdgeResponseStatus", |r| Value::Int(i64::from(r.edge.edge_status))),
    ours("origin_status", Int16, "OriginResponseStatus", |r| int(r.edge.origin_status.map(i64::from))),
    foreign("request_source", "ClientRequestSource", |r| text(&r.edge.source)),
    ours("parent_ray_id", Text, "ray of the request that a Worker subrequest belongs to", |r| {
        r.edge.parent_ray.map_or(Value::Absent, |ray| Value::Text(ray.to_string().into()))
    }),
    foreign("cache_status", "CacheCacheStatus", |r| text(&r.edge.cache)),
    foreign("origin_tls", "OriginSSLProtocol", |r| text(&r.edge.origin_tls)),
    ours("counted", Bool, "false for internal sources: listed, not in the totals", |r| Value::Bool(r.counted)),
    ours("connection", Text, "`new`, `reused`, `none` (origin not contacted), empty if not known", |r| word(r.connection)),
    ours("idle_gap_s", Float, "seconds since the last origin request from the same edge address to the same origin address", |r| {
        float(r.idle_gap_s, 1e3)
    }),
    ours("origin_tcp_ms", Int32, "OriginTCPHandshakeDurationMs", |r| int(r.edge.tcp_ms)),
    ours("origin_tls_ms", Int32, "OriginTLSHandshakeDurationMs", |r| int(r.edge.tls_ms)),
    ours("origin_header_ms", Int32, "OriginResponseHeaderReceiveDurationMs", |r| int(r.edge.header_ms)),
    ours("origin_duration_ms", Int32, "OriginResponseDurationMs", |r| int(r.edge.duration_ms)),
    ours("request_bytes", Int32, "ClientRequestBytes", |r| int(r.edge.request_bytes)),
    ours("cause", Text, "name of the cause", |r| Value::Text(r.verdict.cause.name().into())),
    ours("family", Text, "the cause's family", |r| Value::Text(r.verdict.cause.family().name().into())),
    ours("confidence", Float, "estimated probability that `cause` is right", |r| float(Some(r.verdict.confidence), 1e4)),
    ours("match", Text, "strongest tie to an origin line: `ray`, `request`, `chain`, `window`, `none`", |r| {
        Value::Text(r.verdict.tie.name().into())
    }),
    Column {
        name: "evidence",
        kind: ColumnType::Evidence,
        about: "what proves it, strongest first: in CSV joined by ` | `, else a list of {kind, source, line, time, offset_ms, text}",
        foreign: true,
        get: |r| Value::Evidence(&r.verdict.evidence),
    },
    foreign("missing", "what would have been needed to be surer, joined by `;`", |r| {
        if r.verdict.missing.is_empty() {
            return Value::Absent;
        }
        // A `;` inside an item would read as two.
        if let [one] = r.verdict.missing.as_slice()
            && !one.contains(';')
        {
            return Value::Text(Cow::Borrowed(one));
        }
        Value::Text(r.verdict.missing.iter().map(|item| item.replace(';', ",")).collect::<Vec<_>>().join(";").into())
    }),
    ours("runner_up", Text, "the next likely cause", |r| r.verdict.runner_up.map_or(Value::Absent, |(c, _)| Value::Text(c.name().into()))),
    ours("runner_up_confidence", Float, "its probability", |r| float(r.verdict.runner_up.map(|(_, p)| p), 1e4)),
    ours("episode", Int64, "number of the burst this request belongs to", |r| int(r.episode)),
    ours("retry", Text, "`cleared`, `persisted`, empty", |r| word(r.retry)),
    ours("cleared_after_s", Float, "seconds to that success", |r| float(r.cleared_after_s, 1e3)),
    foreign("source", "FILE:LINE of the edge row", |r| owned(r.source.to_string())),
];

fn text(field: &Option<cfray_model::Text>) -> Value<'_> {
    field.as_deref().map_or(Value::Absent, |t| Value::Text(Cow::Borrowed(t)))
}

/// Our own words are never empty: empty means absent.
fn word(word: &str) -> Value<'_> {
    if word.is_empty() { Value::Absent } else { Value::Text(Cow::Borrowed(word)) }
}

fn owned<'a>(word: String) -> Value<'a> {
    if word.is_empty() { Value::Absent } else { Value::Text(word.into()) }
}

fn int<'a>(field: Option<i64>) -> Value<'a> {
    field.map_or(Value::Absent, Value::Int)
}

fn time<'a>(stamp: Option<Stamp>) -> Value<'a> {
    stamp.map_or(Value::Absent, Value::Time)
}

/// Rounded, so that CSV, Parquet and JSON hold the same short number. Not-a-number is absent.
fn float<'a>(field: Option<f64>, steps: f64) -> Value<'a> {
    match field {
        Some(number) if number.is_finite() => Value::Float((number * steps).round() / steps),
        _ => Value::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_order_are_the_contract() {
        let contract = "ray_id, edge_time, edge_end_time, host, method, uri, client_ip, client_asn, client_country, user_agent, colo, edge_ip, \
            origin_ip, server, edge_status, origin_status, request_source, parent_ray_id, cache_status, origin_tls, counted, connection, \
            idle_gap_s, origin_tcp_ms, origin_tls_ms, origin_header_ms, origin_duration_ms, request_bytes, cause, family, confidence, match, \
            evidence, missing, runner_up, runner_up_confidence, episode, retry, cleared_after_s, source";
        let names: Vec<&str> = columns().iter().map(|c| c.name).collect();
        assert_eq!(names, contract.split(", ").map(str::trim).collect::<Vec<_>>());
    }
}
