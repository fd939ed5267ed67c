//! Clocks, join, cause rules, ranking, episodes: from two scans to one report.
//!
//! Data moves one way: scans -> [`join::World`] (clocks measured, lines owned) -> [`population`]
//! (what failing requests share) -> one [`rule::Case`] an incident -> findings of every rule in
//! [`registry`] -> [`rank`] -> rows and episodes -> the report. Nothing here reads a file or prints.
#![forbid(unsafe_code)]

pub mod assemble;
pub mod audit;
pub mod chain;
mod chart;
pub mod clocks;
pub mod confidence;
pub mod contrast;
pub mod doc;
pub mod dropped;
pub mod episodes;
mod headline;
pub mod infer;
pub mod join;
pub mod judge;
pub mod limits;
pub mod own;
pub mod population;
pub mod rank;
pub mod registry;
pub mod retry;
pub mod rule;
pub mod rules;
pub mod serverconf;
pub mod settings;
pub mod sources;
pub mod totals;
pub mod trust;

pub use doc::{CauseDoc, Fix};
pub use own::OwnRule;
pub use registry::{doc, docs};
pub use settings::{Settings, ZoneSpec};

use cfray_model::report::{Report, Row, SourceSummary};
use cfray_model::source::Skipped;
use cfray_model::text::Place;
use cfray_model::{Cause, EdgeScan, OriginScan, SourceInfo, Text};
use join::World;
use join::world::EdgeKind;
use population::Population;
use totals::Totals;

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
    analyze_with(parts, sources, skipped, settings, None)
}

/// As [`analyze`], with the joined worlds of the parts, in order: for what a report does not hold, such as
/// every line that is tied to a request.
pub fn analyze_keeping(parts: Vec<Part>, sources: &[SourceInfo], skipped: Vec<Skipped>, settings: &Settings) -> (Report, Vec<World>) {
    let mut worlds = Vec::with_capacity(parts.len());
    let report = analyze_with(parts, sources, skipped, settings, Some(&mut worlds));
    (report, worlds)
}

fn analyze_with(
    parts: Vec<Part>,
    sources: &[SourceInfo],
    skipped: Vec<Skipped>,
    settings: &Settings,
    mut kept: Option<&mut Vec<World>>,
) -> Report {
    let mut report = Report { meta: settings.meta.clone(), skipped, ..Report::default() };
    let mut totals = Totals::default();
    let mut kinds = Vec::new();
    let several = parts.len() > 1;
    for part in parts {
        thinned(&part, &mut report);
        let world = World::build(part.edge, part.origin, settings.clone());
        if let (Some(world), Some(kept)) =
            (one_part(world, kept.is_some(), sources, &mut report, &mut totals, &mut kinds), kept.as_deref_mut())
        {
            kept.push(world);
        }
    }
    // Within a part the edge pass has seen to it.
    if several {
        once_each(&mut report);
    }
    report.rows.sort_by(|a, b| (a.edge.start, a.edge.ray, &a.source).cmp(&(b.edge.start, b.edge.ray, &b.source)));
    report.episodes = episodes::episodes(&mut report.rows, settings.threshold(&settings::EPISODE_PAUSE));
    totals.episodes(&mut report.episodes, &report.rows);
    // Their order says what to change first, so it stays.
    let mut seen = std::collections::BTreeSet::new();
    report.audit.retain(|item| seen.insert(item.clone()));
    report.config.clone_from(&settings.config.report);
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

/// Says what `--max-memory` left of the evidence.
fn thinned(part: &Part, report: &mut Report) {
    if let Some(left) = &part.origin.thinned {
        let more: u64 = part.origin.sources.iter().map(|s| s.folded).sum();
        let note =
            format!("evidence thinned to fit --max-memory: {left}; {more} lines more were counted and not kept; no request was left out");
        report.meta.notes.push(note);
    }
}

/// Adds a part to the report. Its world is given back where somebody `keeps` it; elsewhere it makes room for the rows.
fn one_part(
    mut w: World,
    keeps: bool,
    sources: &[SourceInfo],
    report: &mut Report,
    totals: &mut Totals,
    kinds: &mut Vec<EdgeKind>,
) -> Option<World> {
    let (p, (retries, ())) = rayon::join(|| Population::build(&w), || rayon::join(|| retry::retries(&w), || totals.add(&w)));
    let judged = judge::all(&w, &p, w.settings.threads);
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
    for source in sources::origin_sources(&w) {
        if !report.sources.iter().any(|s| s.info.name == source.info.name) {
            report.sources.push(source);
        }
    }
    report.audit.extend(audit::audit(&w, &p.coverage));
    let servers: Vec<Text> = w.servers.iter().map(|s| s.name.as_str().into()).collect();
    let reach = w.settings.threshold(&settings::INFER_REACH);
    let files: Vec<Text> = sources.iter().map(|s| s.name.as_str().into()).collect();
    let place = |at: cfray_model::LineRef| Place::new(files.get(at.source.0 as usize).cloned().unwrap_or_else(|| "?".into()), at.line);
    // Each incident becomes a row of the report; what it was judged by makes room for it.
    let incidents = if keeps { w.edge.incidents.clone() } else { std::mem::take(&mut w.edge.incidents) };
    drop(p);
    let kept = keeps.then_some(w);
    if report.rows.is_empty() {
        report.rows.reserve_exact(incidents.len());
    }
    let first = report.rows.len();
    let mut silent = Vec::with_capacity(incidents.len());
    for ((edge, judged), retry) in incidents.into_iter().zip(judged).zip(retries) {
        silent.push(judged.silent);
        report.rows.push(Row {
            source: place(edge.at),
            server: judged.server.and_then(|s| servers.get(s)).cloned().unwrap_or_default(),
            connection: match (edge.contacted(), edge.reused()) {
                (Some(false), _) => "none",
                (_, Some(true)) => "reused",
                (_, Some(false)) => "new",
                _ => "",
            },
            idle_gap_s: judged.idle_gap_s,
            verdict: judged.verdict,
            episode: None,
            retry: retry.word,
            cleared_after_s: retry.after_s,
            counted: edge.counted(),
            lines: judged.lines,
            edge,
        });
    }
    infer::infer(report.rows.get_mut(first..).unwrap_or_default(), &silent, reach);
    kept
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
