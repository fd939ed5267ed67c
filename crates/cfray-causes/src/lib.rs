//! Clocks, join, cause rules, ranking, episodes: from two scans to one report.
//!
//! Data moves one way: scans -> [`join::World`] (clocks measured, lines owned) -> [`population`]
//! (what failing requests share) -> one [`rule::Case`] an incident -> findings of every rule in
//! [`registry`] -> [`rank`] -> rows and episodes -> the report. Nothing here reads a file or prints.
#![forbid(unsafe_code)]

pub mod app_exit;
pub mod assemble;
pub mod audit;
pub mod brief;
pub mod chain;
mod chart;
pub mod clocks;
pub mod confidence;
pub mod contrast;
pub mod doc;
pub mod dropped;
pub mod episodes;
mod gathered;
mod headline;
pub mod infer;
pub mod join;
pub mod judge;
pub mod limits;
mod numbered;
pub mod own;
mod passes;
pub mod population;
pub mod rank;
pub mod registry;
pub mod retry;
pub mod rule;
pub mod rules;
pub mod serverconf;
pub mod settings;
pub mod sources;
mod tally;
#[cfg(test)]
mod testing;
pub mod totals;
pub mod trust;

pub use doc::{CauseDoc, Fix};
pub use own::OwnRule;
pub use registry::{doc, docs};
pub use settings::{Settings, ZoneSpec};

use cfray_model::report::{Report, Row, SourceSummary};
use cfray_model::slice::Finish;
use cfray_model::source::Skipped;
use cfray_model::text::Place;
use cfray_model::{EdgeRow, EdgeScan, EvidenceKind, OriginScan, Pool, Slice, SourceInfo, Text};
use gathered::Gathered;
use join::World;
use join::world::EdgeKind;
use passes::Passes;
use population::Population;
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
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

/// Reads the origin's logs again for a slice of a part, by the part's number.
pub type Rescan<'a> = dyn FnMut(usize, &EdgeScan) -> OriginScan + 'a;

/// Joins, decides and assembles. `sources` is indexed by `SourceId`.
pub fn analyze(parts: Vec<Part>, sources: &[SourceInfo], skipped: Vec<Skipped>, settings: &Settings) -> Report {
    analyze_slices(parts, sources, skipped, settings, &mut |_, _| OriginScan::default())
}

/// As [`analyze`], where incidents may be too many to be looked at together ([`EdgeScan::slices`]): each slice is joined with
/// what `rescan` finds for it, and its rows are packed before the next one's turn.
pub fn analyze_slices(
    parts: Vec<Part>,
    sources: &[SourceInfo],
    skipped: Vec<Skipped>,
    settings: &Settings,
    rescan: &mut Rescan<'_>,
) -> Report {
    analyze_with(parts, sources, skipped, settings, rescan, None)
}

/// As [`analyze`], with the joined worlds of the parts, in order: for what a report does not hold, such as
/// every line that is tied to a request. Not for scans with slices.
pub fn analyze_keeping(parts: Vec<Part>, sources: &[SourceInfo], skipped: Vec<Skipped>, settings: &Settings) -> (Report, Vec<World>) {
    let mut worlds = Vec::with_capacity(parts.len());
    let report = analyze_with(parts, sources, skipped, settings, &mut |_, _| OriginScan::default(), Some(&mut worlds));
    (report, worlds)
}

fn analyze_with(
    parts: Vec<Part>,
    sources: &[SourceInfo],
    skipped: Vec<Skipped>,
    settings: &Settings,
    rescan: &mut Rescan<'_>,
    mut kept: Option<&mut Vec<World>>,
) -> Report {
    let mut report = Report { meta: settings.meta.clone(), skipped, ..Report::default() };
    let mut totals = Totals::default();
    let mut kinds = Vec::new();
    let several = parts.len() > 1;
    let mut gathered = Gathered::new(parts.iter().any(|part| !part.edge.slices.is_empty()));
    let mut thin = Thinned::default();
    for (number, mut part) in parts.into_iter().enumerate() {
        if part.edge.counters.rows > 0 {
            kinds.push(join::world::edge_kind(&part.edge));
        }
        assemble::add_counters(&mut report.edge.counters, &part.edge.counters);
        edge_sources(&part.edge, sources, &mut report);
        let keeps = kept.is_some();
        if !part.edge.slices.is_empty() {
            let note = format!(
                "so many incidents are analysed in slices of time ({} here), each with the requests and lines around it",
                part.edge.slices.len()
            );
            if !report.meta.notes.contains(&note) {
                report.meta.notes.push(note);
            }
        }
        let mut passes = Passes::new(part.edge.slices.len());
        let mut world = None;
        if part.edge.slices.is_empty() {
            thin.add(&part.origin);
            let joined = World::build(part.edge, part.origin, settings.clone());
            world = one_part(joined, keeps, sources, &mut passes, Some(&mut totals), &mut report, &mut gathered);
        } else {
            totals.add(&part.edge);
            let edge = part.edge.measuring();
            let origin = rescan(number, &edge);
            let measured = World::build(edge, origin, settings.clone());
            let shifts = Arc::new(measured.shifts());
            passes.measured(measured);
            let slices = part.edge.slices.len();
            let mut join = |slice: usize| {
                let rows = part.edge.slices.get_mut(slice).map(Slice::take).map(unpacked).unwrap_or_default();
                let edge = part.edge.slice(slice, rows, &shifts);
                let origin = rescan(number, &edge);
                thin.add(&origin);
                World::build(edge, origin, settings.clone())
            };
            let mut judge = |world: World| drop(one_part(world, false, sources, &mut passes, None, &mut report, &mut gathered));
            if settings.ahead {
                one_ahead(slices, join, judge);
            } else {
                (0..slices).for_each(|slice| judge(join(slice)));
            }
        }
        passes.finish(&mut report);
        if let (Some(world), Some(kept)) = (world, kept.as_deref_mut()) {
            kept.push(world);
        }
    }
    thin.tell(&mut report);
    // Within a part the edge pass has seen to copies.
    let (rows, mut briefs, copies) = gathered.finish(several);
    report.rows = rows;
    if copies > 0 {
        report.meta.notes.push(format!(
            "{copies} incidents stand in several directories and are counted once; the totals of requests count them each time"
        ));
    }
    report.edge.uncounted = briefs.list.iter().filter(|b| !b.counted).count() as u64;
    report.episodes = episodes::episodes(&mut report.rows, &briefs, settings.threshold(&settings::EPISODE_PAUSE));
    totals.episodes(&mut report.episodes, &briefs);
    briefs.list.retain(|b| b.counted);
    // Their order says what to change first, so it stays.
    let mut seen = std::collections::BTreeSet::new();
    report.audit.retain(|item| seen.insert(item.clone()));
    report.config.clone_from(&settings.config.report);
    assemble::finish(&mut report, &briefs, &kinds, &totals);
    report
}

/// Joins each slice while the one before it is judged: much of joining is one thread's work, much of judging is everybody's.
fn one_ahead(slices: usize, join: impl FnMut(usize) -> World, mut judge: impl FnMut(World) + Send) {
    std::thread::scope(|scope| {
        // Nothing waits between the two: two worlds are in memory, never three.
        let (send, joined) = sync_channel(0);
        scope.spawn(move || joined.into_iter().for_each(&mut judge));
        // If nobody takes it any more, the other has panicked, and so will the scope.
        let _ = (0..slices).map(join).all(|world| send.send(world).is_ok());
    });
}

/// Incidents of a slice, in order.
fn unpacked(slice: Slice) -> Vec<EdgeRow> {
    /// Blocks that are read back side by side: more would be in memory twice.
    const BATCH: usize = 16;
    let Slice { rows, early, finish: Finish(finish), .. } = slice;
    let mut incidents: Vec<EdgeRow> = Vec::with_capacity(rows.len() + early.len());
    for (mut shelf, early) in [(rows, false), (early, true)] {
        for from in (0..shelf.blocks()).step_by(BATCH) {
            let blocks = from..shelf.blocks().min(from + BATCH);
            let read = |block| if early { finish(shelf.block(block)) } else { shelf.block(block) };
            let batch: Vec<Vec<EdgeRow>> = blocks.clone().into_par_iter().map(read).collect();
            batch.into_iter().for_each(|mut batch| incidents.append(&mut batch));
            blocks.for_each(|block| shelf.discard(block));
        }
    }
    incidents.par_sort_unstable_by_key(EdgeRow::order);
    incidents
}

/// What `--max-memory` left of the evidence.
#[derive(Default)]
struct Thinned {
    left: Option<String>,
    more: u64,
}

impl Thinned {
    fn add(&mut self, origin: &OriginScan) {
        if let Some(left) = &origin.thinned {
            self.left = Some(left.clone());
            self.more += origin.sources.iter().map(|s| s.folded).sum::<u64>();
        }
    }

    fn tell(self, report: &mut Report) {
        let Self { left: Some(left), more } = self else { return };
        let note =
            format!("evidence thinned to fit --max-memory: {left}; {more} lines more were counted and not kept; no request was left out");
        report.meta.notes.push(note);
    }
}

/// Of fewer events nobody minds the memory.
const QUOTES_MOVE: usize = 50_000;

/// Adds the rows of a part to the report, or those of a slice of one, and its requests to the totals, if they are given. Its
/// world is given back where somebody `keeps` it; elsewhere it makes room for the rows.
fn one_part(
    mut w: World,
    keeps: bool,
    sources: &[SourceInfo],
    passes: &mut Passes,
    totals: Option<&mut Totals>,
    report: &mut Report,
    gathered: &mut Gathered,
) -> Option<World> {
    let (p, (retries, ())) = rayon::join(
        || Population::build(&w),
        || rayon::join(|| retry::retries(&w), || totals.into_iter().for_each(|totals| totals.add(&w.edge))),
    );
    let judged = judge::all(&w, &p, w.settings.threads);
    if w.edge.counters.rows > 0 {
        notes(&w, report);
    }
    let lost: Vec<(String, Cow<'static, str>)> =
        passes.add(&w, &p.coverage).into_iter().map(|lost| (lost.server, Cow::Owned(lost.words))).collect();
    let servers: Vec<Text> = w.servers.iter().map(|s| s.name.as_str().into()).collect();
    let reach = w.settings.threshold(&settings::INFER_REACH);
    let files: Vec<Text> = sources.iter().map(|s| s.name.as_str().into()).collect();
    let place = |at: cfray_model::LineRef| Place::new(files.get(at.source.0 as usize).cloned().unwrap_or_else(|| "?".into()), at.line);
    // Each incident becomes a row of the report; what it was judged by makes room for it.
    let incidents = if keeps { w.edge.incidents.clone() } else { std::mem::take(&mut w.edge.incidents) };
    drop(p);
    // Where most lines are nobody's incident's, the few that are quoted would hold the memory of all: they are moved.
    let mut quotes = (!keeps && w.evs.len() > QUOTES_MOVE && w.evs.len() / incidents.len().max(1) >= 4).then(Pool::default);
    let kept = keeps.then_some(w);
    let mut rows = Vec::with_capacity(incidents.len());
    let mut bare = Vec::with_capacity(incidents.len());
    for ((edge, mut judged), retry) in incidents.into_iter().zip(judged).zip(retries) {
        bare.push(infer::Bare { silent: judged.silent, reused: judged.reused });
        // What no server is named for may have been in any log.
        let server = judged.server.and_then(|s| servers.get(s)).cloned().unwrap_or_default();
        let lacks = lost.iter().filter(|(of, _)| server.is_empty() || server == of.as_str());
        judged.verdict.missing.extend(lacks.map(|(_, words)| words.clone()));
        if let Some(quotes) = &mut quotes {
            for item in judged.verdict.evidence.iter_mut().filter(|item| item.kind == EvidenceKind::Line) {
                item.text = quotes.get(&item.text);
            }
        }
        rows.push(Row {
            source: place(edge.at),
            server,
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
    infer::infer(&mut rows, &bare, reach);
    gathered.add(rows);
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
fn edge_sources(edge: &EdgeScan, sources: &[SourceInfo], report: &mut Report) {
    for (id, info) in sources.iter().enumerate() {
        let listed = || (info.format == "ray-list").then_some(edge.counters.rows);
        let Some(lines) = edge.lines.get(&(id as u32)).copied().or_else(listed) else { continue };
        let rejects: Vec<_> = edge.rejects.iter().filter(|r| r.at.source.0 as usize == id).cloned().collect();
        let rejected = if edge.lines.len() == 1 { edge.counters.rejected } else { rejects.len() as u64 };
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
