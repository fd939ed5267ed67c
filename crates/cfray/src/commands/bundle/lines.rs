//! The origin lines that are tied to the requests of the report.

use cfray_causes::join::{Ev, Span, World};
use cfray_model::report::{Report, Row};
use cfray_model::{EvidenceKind, LineRef, RayId, SourceId, Stamp, Text};
use cfray_report::Masker;
use cfray_report::escape::visible;
use cfray_report::view::evidence_text;
use std::collections::{BTreeMap, BTreeSet};

/// Most lines that a bundle holds: a support desk reads a few dozen.
pub const MOST: usize = 20_000;

/// A line and the request it belongs to.
#[derive(Debug)]
pub struct Tied<'w> {
    /// Index into the report's rows.
    pub row: usize,
    /// `ray`, `request`, `chain` or `window`.
    pub how: &'static str,
    /// True time, if the clock is known.
    pub utc: Option<Span>,
    /// The file.
    pub source: SourceId,
    /// Its name.
    pub name: &'w str,
    /// Number of its first physical line.
    pub line: u64,
    /// The record as kept.
    pub text: Text,
    /// Server that the file belongs to.
    pub server: &'w str,
}

/// Every tied line, request by request in the order of the report, and how many had to be left out.
/// Lines by time only (`window`) are those that a verdict rests on.
pub fn tied<'w>(report: &'w Report, worlds: &'w [World]) -> (Vec<Tied<'w>>, usize) {
    /// World and incident.
    type Places = Vec<(usize, usize)>;
    let mut incidents: BTreeMap<(LineRef, Option<RayId>), Places> = BTreeMap::new();
    for (world, w) in worlds.iter().enumerate() {
        for (incident, row) in w.edge.incidents.iter().enumerate() {
            incidents.entry((row.at, row.ray)).or_default().push((world, incident));
        }
    }
    let places = places(report, worlds);
    let mut out = Vec::new();
    let mut left_out = 0;
    for (number, row) in report.rows.kept().unwrap_or_default().iter().enumerate() {
        let mut lines: BTreeMap<(&str, u64), Tied<'w>> = BTreeMap::new();
        let mut add = |w: &'w World, ev: &'w Ev, how| {
            let tied = Tied {
                row: number,
                how,
                utc: ev.utc,
                source: ev.e.at.source,
                name: w.source_name(ev),
                line: ev.e.at.line,
                text: ev.e.text(),
                server: w.servers.get(ev.server).map_or("", |s| s.name.as_str()),
            };
            lines.entry((tied.name, tied.line)).or_insert(tied);
        };
        for &(world, incident) in incidents.get(&(row.edge.at, row.edge.ray)).into_iter().flatten() {
            let Some(w) = worlds.get(world) else { continue };
            let fact = w.incident_fact.get(incident).copied().flatten();
            for &event in fact.and_then(|fact| w.ties.of_fact.get(&fact)).into_iter().flatten() {
                let owner = w.ties.owner.get(event as usize).copied().flatten();
                if let (Some(ev), Some((_, tie))) = (w.evs.get(event as usize), owner) {
                    add(w, ev, tie.name());
                }
            }
        }
        for place in evidence(row) {
            if let Some(&(w, ev)) = places.get(&place) {
                add(w, ev, "window");
            }
        }
        let mut lines: Vec<Tied<'w>> = lines.into_values().collect();
        lines.sort_by_key(|t| (t.utc.is_none(), t.utc.map_or(0, Span::mid), t.name, t.line));
        let room = MOST.saturating_sub(out.len());
        left_out += lines.len().saturating_sub(room);
        lines.truncate(room);
        out.extend(lines);
    }
    (out, left_out)
}

/// File and line of a row's evidence.
fn evidence(row: &Row) -> impl Iterator<Item = (&str, u64)> {
    let lines = row.verdict.evidence.iter().filter(|item| item.kind == EvidenceKind::Line);
    lines.filter_map(|item| Some((item.source.as_str(), item.line?)))
}

/// The events that evidence names.
fn places<'a>(report: &'a Report, worlds: &'a [World]) -> BTreeMap<(&'a str, u64), (&'a World, &'a Ev)> {
    let wanted: BTreeSet<(&str, u64)> = report.rows.kept().unwrap_or_default().iter().flat_map(evidence).collect();
    let mut found = BTreeMap::new();
    for w in worlds {
        for ev in &w.evs {
            if let Some(place) = wanted.get(&(w.source_name(ev), ev.e.at.line)) {
                found.entry(*place).or_insert((w, ev));
            }
        }
    }
    found
}

/// `origin/lines.csv`.
pub fn table(report: &Report, tied: &[Tied<'_>], masker: &Masker) -> Result<Vec<u8>, csv::Error> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(["ray_id", "edge_time", "match", "line_time", "server", "file", "line", "text"])?;
    for t in tied {
        let row = report.rows.kept().and_then(|rows| rows.get(t.row));
        let time = row.and_then(|r| r.edge.start).map(Stamp::to_rfc3339_ms).unwrap_or_default();
        out.write_record([
            row.and_then(|r| r.edge.ray).map(|r| r.to_string()).unwrap_or_default(),
            time,
            t.how.to_owned(),
            t.utc.map(|span| Stamp(span.mid()).to_rfc3339_ms()).unwrap_or_default(),
            super::rays::cell(&masker.text(t.server)),
            super::rays::cell(&visible(&masker.text(t.name))),
            t.line.to_string(),
            super::rays::cell(&visible(&evidence_text(&t.text, masker))),
        ])?;
    }
    out.into_inner().map_err(|error| error.into_error().into())
}
