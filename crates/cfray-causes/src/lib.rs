//! Clocks, join, cause rules, ranking, episodes: from two scans to one report.
//!
//! Data moves one way: scans -> [`join::World`] (clocks measured, lines owned) -> [`population`]
//! (what failing requests share) -> one [`rule::Case`] an incident -> findings of every rule in
//! [`registry`] -> [`rank`] -> rows and episodes -> the report. Nothing here reads a file or prints.
#![forbid(unsafe_code)]

pub mod assemble;
pub mod audit;
pub mod chain;
pub mod clocks;
pub mod confidence;
pub mod contrast;
pub mod doc;
pub mod dropped;
pub mod episodes;
pub mod infer;
pub mod join;
pub mod limits;
pub mod population;
pub mod rank;
pub mod registry;
pub mod retry;
pub mod rule;
pub mod rules;
pub mod settings;

pub use doc::{CauseDoc, Fix};
pub use registry::{doc, docs};
pub use settings::{Settings, ZoneSpec};

use assemble::Totals;
use cfray_model::report::{Report, Row, SourceSummary};
use cfray_model::source::Skipped;
use cfray_model::{Cause, EdgeScan, OriginScan, SourceInfo};
use join::World;
use join::world::EdgeKind;
use population::Population;
use rayon::prelude::*;
use rule::Case;

/// One part of the input that stands for itself: its edge rows have nothing to do with the servers
/// of another part.
#[derive(Debug, Default)]
pub struct Part {
    /// Edge pass.
    pub edge: EdgeScan,
    /// Origin pass.
    pub origin: OriginScan,
}

/// Joins, decides and assembles. `sources` is indexed by `SourceId`.
pub fn analyze(parts: Vec<Part>, sources: &[SourceInfo], skipped: Vec<Skipped>, settings: &Settings) -> Report {
    let mut report = Report { meta: settings.meta.clone(), skipped, ..Report::default() };
    let mut totals = Totals::default();
    let mut kinds = Vec::new();
    for part in parts {
        one_part(part, sources, settings, &mut report, &mut totals, &mut kinds);
    }
    once_each(&mut report);
    report.rows.sort_by(|a, b| (a.edge.start, a.edge.ray, &a.source).cmp(&(b.edge.start, b.edge.ray, &b.source)));
    report.episodes = episodes::episodes(&mut report.rows);
    report.audit.sort();
    report.audit.dedup();
    assemble::finish(&mut report, &kinds, &totals);
    report
}

/// A copy of the same Logpush rows in several parts gives one row each: the one that its logs explain best.
fn once_each(report: &mut Report) {
    let before = report.rows.len();
    let named = |r: &Row| (r.verdict.cause != Cause::Unknown, r.verdict.tie, (r.verdict.confidence * 1e6) as u64);
    report.rows.sort_by(|a, b| {
        let same = (a.edge.ray, a.edge.start, &a.edge.source).cmp(&(b.edge.ray, b.edge.start, &b.edge.source));
        same.then_with(|| named(b).cmp(&named(a))).then_with(|| a.source.cmp(&b.source))
    });
    report.rows.dedup_by(|b, a| {
        a.edge.ray.is_some() && a.edge.ray == b.edge.ray && a.edge.start == b.edge.start && a.edge.source == b.edge.source
    });
    let dropped = before - report.rows.len();
    if dropped > 0 {
        report.meta.notes.push(format!(
            "{dropped} incidents stand in several directories and are counted once; the totals of requests count them each time"
        ));
    }
}

fn one_part(part: Part, sources: &[SourceInfo], settings: &Settings, report: &mut Report, totals: &mut Totals, kinds: &mut Vec<EdgeKind>) {
    let w = World::build(part.edge, part.origin, settings.clone());
    let (p, (retries, _)) = rayon::join(|| Population::build(&w), || rayon::join(|| retry::retries(&w), || totals.add(&w)));
    let judge = |i: usize| {
        let case = Case::build(&w, &p, i)?;
        let verdict = rank::verdict(&case);
        let retry = retries.get(i).cloned().unwrap_or_default();
        // The server is shown when something ties the row to it, not merely because it is the only one.
        let tied = verdict.tie != cfray_model::Tie::None || verdict.cause == Cause::KeepaliveRace || case.silent();
        let row = Row {
            source: assemble::place(sources, case.row.at),
            server: case.server.filter(|_| tied).and_then(|s| w.servers.get(s)).map(|s| s.name.clone()).unwrap_or_default(),
            connection: match (case.row.contacted(), case.row.reused()) {
                (Some(false), _) => "none",
                (_, Some(true)) => "reused",
                (_, Some(false)) => "new",
                _ => "",
            }
            .to_owned(),
            idle_gap_s: case
                .fact_id
                .filter(|_| w.edge_kind == EdgeKind::Full)
                .and_then(|f| p.gaps.of(f))
                .map(|g| (g * 1000.0).round() / 1000.0),
            verdict,
            episode: None,
            retry: retry.word.to_owned(),
            cleared_after_s: retry.after_s,
            counted: case.row.counted(),
            edge: case.row.clone(),
        };
        Some((row, case.silent()))
    };
    // In the order of the incidents, whoever judges which.
    let judged: Vec<Option<(Row, bool)>> = (0..w.edge.incidents.len()).into_par_iter().map(judge).collect();
    let (mut rows, silent): (Vec<Row>, Vec<bool>) = judged.into_iter().flatten().unzip();
    infer::infer(&mut rows, &silent);
    report.rows.append(&mut rows);
    if w.edge.counters.rows > 0 {
        kinds.push(w.edge_kind);
        notes(&w, report);
    }
    assemble::add_counters(&mut report.edge.counters, &w.edge.counters);
    for (origin, list) in &w.origin_servers {
        for (server, n) in list {
            if let Some(s) = w.servers.get(*server) {
                report.edge.origins.push((origin.clone(), s.name.clone(), *n));
            }
        }
    }
    edge_sources(&w, sources, report);
    // Origin logs outside every part are read with each; they are listed once.
    for source in assemble::origin_sources(&w, &p) {
        if !report.sources.iter().any(|s| s.info.name == source.info.name) {
            report.sources.push(source);
        }
    }
    report.audit.extend(audit::audit(&w));
}

fn notes(w: &World, report: &mut Report) {
    let note = match w.edge_kind {
        EdgeKind::Filtered => "the Logpush job delivers failing requests only: no comparison with succeeding ones, no retries",
        EdgeKind::Sampled => "the Logpush job is sampled: an absent row proves nothing",
        _ => return,
    };
    if !report.meta.notes.iter().any(|n| n == note) {
        report.meta.notes.push(note.to_owned());
    }
}

/// Edge logs in the list of sources: their clock is the reference.
fn edge_sources(w: &World, sources: &[SourceInfo], report: &mut Report) {
    for (id, info) in sources.iter().enumerate() {
        let listed = || (info.format == "ray-list").then_some(w.edge.counters.rows);
        let Some(lines) = w.edge.lines.get(&(id as u32)).copied().or_else(listed) else { continue };
        let rejects: Vec<_> = w.edge.rejects.iter().filter(|r| r.at.source.0 as usize == id).cloned().collect();
        let rejected = if w.edge.lines.len() == 1 { w.edge.counters.rejected } else { rejects.len() as u64 };
        report.sources.push(SourceSummary {
            info: info.clone(),
            clock: "Cloudflare, UTC (reference)".to_owned(),
            has_ray: true,
            lines,
            parsed: lines.saturating_sub(rejected),
            rejected,
            rejects,
            ..SourceSummary::default()
        });
    }
}
