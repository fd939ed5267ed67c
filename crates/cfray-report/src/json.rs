//! The whole report as one JSON document. Times are text: nanoseconds do not fit a JavaScript number.

use crate::row_json::RowJson;
use crate::view::View;
use crate::{RenderOptions, ReportError, json_text};
use cfray_model::report::{
    AuditItem, Breakdown, CauseSummary, ClockSummary, EdgeSummary, Episode, Impact, Meta, Report, Share, SourceSummary, Timeline,
};
use cfray_model::serverconf::ConfigReport;
use cfray_model::source::{Skipped, SourceInfo};
use cfray_model::{Cause, Stamp};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use std::collections::BTreeMap;
use std::io::Write;

/// Writes the document, indented.
pub fn render(view: &View<'_>, _: &RenderOptions, out: &mut dyn Write) -> Result<(), ReportError> {
    json_text::pretty(&Document::new(view), out)?;
    out.write_all(b"\n")?;
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    headline: &'a str,
    meta: &'a Meta,
    edge: EdgeJson<'a>,
    impact: &'a Impact,
    causes: &'a [CauseSummary],
    episodes: Vec<EpisodeJson<'a>>,
    endpoints: &'a [Share],
    breakdowns: &'a [Breakdown],
    audit: &'a [AuditItem],
    config: &'a ConfigReport,
    sources: Vec<SourceJson<'a>>,
    skipped: &'a [Skipped],
    timeline: TimelineJson<'a>,
    rows: Rows<'a>,
}

impl<'a> Document<'a> {
    fn new(view: &'a View<'a>) -> Self {
        let Report {
            meta, sources, skipped, edge, episodes, causes, endpoints, breakdowns, audit, config, impact, timeline, headline, ..
        } = &view.head;
        Self {
            headline,
            meta,
            edge: EdgeJson::new(edge),
            impact,
            causes,
            episodes: episodes.iter().map(EpisodeJson::new).collect(),
            endpoints,
            breakdowns,
            audit,
            config,
            sources: sources.iter().map(SourceJson::new).collect(),
            skipped,
            timeline: TimelineJson::new(timeline),
            rows: Rows(view),
        }
    }
}

/// Rows are masked and written one by one.
struct Rows<'a>(&'a View<'a>);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for row in self.0.rows() {
            list.serialize_element(&RowJson(&row))?;
        }
        list.end()
    }
}

fn time(stamp: Option<Stamp>) -> Option<String> {
    stamp.map(Stamp::to_rfc3339_ms)
}

#[derive(Serialize)]
struct Count<'a> {
    name: &'a str,
    count: u64,
}

fn counts(list: &[(String, u64)]) -> Vec<Count<'_>> {
    list.iter().map(|(name, count)| Count { name, count: *count }).collect()
}

#[derive(Serialize)]
struct EdgeJson<'a> {
    kind: &'a str,
    rows: u64,
    duplicates: u64,
    rejected: u64,
    first: Option<String>,
    last: Option<String>,
    precision_ns: i64,
    sample_interval: u64,
    incidents: u64,
    uncounted: u64,
    ties: Vec<Count<'a>>,
    origins: Vec<OriginJson<'a>>,
    neighbours: Vec<NeighbourJson>,
    by_status: &'a BTreeMap<u16, u64>,
    by_source: &'a BTreeMap<String, u64>,
    fields: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct OriginJson<'a> {
    origin_ip: &'a str,
    server: &'a str,
    ties: u64,
}

#[derive(Serialize)]
struct NeighbourJson {
    status: u16,
    cause: Cause,
    count: u64,
}

impl<'a> EdgeJson<'a> {
    fn new(edge: &'a EdgeSummary) -> Self {
        let c = &edge.counters;
        Self {
            kind: &edge.kind,
            rows: c.rows,
            duplicates: c.duplicates,
            rejected: c.rejected,
            first: time(c.first),
            last: time(c.last),
            precision_ns: c.precision_ns,
            sample_interval: c.sample_interval,
            incidents: edge.incidents,
            uncounted: edge.uncounted,
            ties: counts(&edge.ties),
            origins: edge.origins.iter().map(|(origin_ip, server, ties)| OriginJson { origin_ip, server, ties: *ties }).collect(),
            neighbours: edge.neighbours.iter().map(|&(status, cause, count)| NeighbourJson { status, cause, count }).collect(),
            by_status: &c.by_status,
            by_source: &c.by_source,
            fields: &c.fields,
        }
    }
}

#[derive(Serialize)]
struct EpisodeJson<'a> {
    number: i64,
    cause: Option<Cause>,
    confidence: f64,
    from: Option<String>,
    to: Option<String>,
    count: u64,
    peak_per_minute: u64,
    requests: u64,
    server: &'a str,
    clients: u64,
    hosts: Vec<Count<'a>>,
    paths: Vec<Count<'a>>,
    colos: Vec<Count<'a>>,
    decisive: &'a [String],
    rows: &'a [usize],
}

impl<'a> EpisodeJson<'a> {
    fn new(e: &'a Episode) -> Self {
        Self {
            number: e.number,
            cause: e.cause,
            confidence: e.confidence,
            from: time(e.from),
            to: time(e.to),
            count: e.count,
            peak_per_minute: e.peak_per_minute,
            requests: e.requests,
            server: &e.server,
            clients: e.clients,
            hosts: counts(&e.hosts),
            paths: counts(&e.paths),
            colos: counts(&e.colos),
            decisive: &e.decisive,
            rows: &e.rows,
        }
    }
}

/// A source in JSON.
#[derive(Serialize)]
pub(crate) struct SourceJson<'a> {
    info: &'a SourceInfo,
    lines: u64,
    parsed: u64,
    rejected: u64,
    rejects: Vec<RejectJson<'a>>,
    first: Option<String>,
    last: Option<String>,
    gaps: Vec<(String, String)>,
    missing_files: &'a [String],
    hosts: &'a [String],
    lowest_level: &'a str,
    buffered: bool,
    clock: &'a str,
    clock_unknown: bool,
    measured: Option<ClockJson<'a>>,
    has_ray: bool,
    tied: u64,
}

#[derive(Serialize)]
struct ClockJson<'a> {
    zone_s: i64,
    skew_s: f64,
    error_s: f64,
    drift_s_per_hour: f64,
    steps: Vec<(String, f64)>,
    by: &'a str,
    pairs: u32,
    tick_s: f64,
}

impl<'a> ClockJson<'a> {
    fn new(c: &'a ClockSummary) -> Self {
        Self {
            zone_s: c.zone_s,
            skew_s: c.skew_s,
            error_s: c.error_s,
            drift_s_per_hour: c.drift_s_per_hour,
            steps: c.steps.iter().map(|(at, by)| (at.to_rfc3339_ms(), *by)).collect(),
            by: &c.by,
            pairs: c.pairs,
            tick_s: c.tick_s,
        }
    }
}

#[derive(Serialize)]
struct RejectJson<'a> {
    line: u64,
    reason: &'a str,
}

impl<'a> SourceJson<'a> {
    pub(crate) fn new(s: &'a SourceSummary) -> Self {
        Self {
            info: &s.info,
            lines: s.lines,
            parsed: s.parsed,
            rejected: s.rejected,
            rejects: s.rejects.iter().map(|r| RejectJson { line: r.at.line, reason: &r.reason }).collect(),
            first: time(s.first),
            last: time(s.last),
            gaps: s.gaps.iter().map(|(from, to)| (from.to_rfc3339_ms(), to.to_rfc3339_ms())).collect(),
            missing_files: &s.missing_files,
            hosts: &s.hosts,
            lowest_level: &s.lowest_level,
            buffered: s.buffered,
            clock: &s.clock,
            clock_unknown: s.clock_unknown,
            measured: s.measured.as_ref().map(ClockJson::new),
            has_ray: s.has_ray,
            tied: s.tied,
        }
    }
}

#[derive(Serialize)]
struct TimelineJson<'a> {
    bucket_s: i64,
    buckets: Vec<BucketJson<'a>>,
}

#[derive(Serialize)]
struct BucketJson<'a> {
    start: String,
    requests: u64,
    causes: BTreeMap<&'a str, u64>,
}

impl<'a> TimelineJson<'a> {
    fn new(timeline: &'a Timeline) -> Self {
        let bucket = |b: &'a cfray_model::report::Bucket| BucketJson {
            start: Stamp::from_secs(b.start_s).to_rfc3339_ms(),
            requests: b.requests,
            causes: b.causes.iter().map(|(cause, n)| (cause.name(), *n)).collect(),
        };
        Self { bucket_s: timeline.bucket_s, buckets: timeline.buckets.iter().map(bucket).collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{OutputFormat, example, render as render_as};

    #[test]
    fn the_document_reads_back() {
        let mut out = Vec::new();
        render_as(&example::report(), OutputFormat::Json, &RenderOptions::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["rows"].as_array().unwrap().len(), example::report().rows.len());
        assert_eq!(report["edge"]["incidents"], 7);
        assert_eq!(report["causes"][0]["cause"], "pool-exhausted");
        assert_eq!(report["episodes"][0]["from"], "2026-11-22T10:02:11.000Z");
        assert_eq!(report["timeline"]["buckets"][2]["causes"]["pool-exhausted"], 2);
        assert!(!text.contains("hunter2") && !text.contains('\x1b') && !text.contains('\u{202e}'));
    }
}
