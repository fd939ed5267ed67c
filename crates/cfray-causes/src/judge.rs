//! Every incident before every rule: the cases know nothing of each other, so they may be looked at
//! side by side.

use crate::join::World;
use crate::join::world::EdgeKind;
use crate::population::Population;
use crate::rank;
use crate::rule::Case;
use cfray_model::report::TiedLine;
use cfray_model::{Cause, EvidenceKind, Pool, Tie, Verdict};
use std::ops::Range;

/// What was found about one incident.
#[derive(Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Index of the server that something ties the incident to.
    pub server: Option<usize>,
    /// The origin wrote no line of it although its log covers the moment.
    pub silent: bool,
    /// Its connection had surely carried requests before.
    pub reused: bool,
    /// The origin's lines of it, in order of time, where the report shows them.
    pub lines: Vec<TiedLine>,
    /// Idle gap before the request in seconds, to the millisecond.
    pub idle_gap_s: Option<f64>,
}

/// A thread is not worth its start for fewer incidents.
const SHARE: usize = 500;

/// Judges all incidents, in their order, on at most `threads` threads (0 counts as 1).
pub fn all(w: &World, p: &Population, threads: usize) -> Vec<Judged> {
    let n = w.edge.incidents.len();
    let threads = threads.min(n / SHARE).max(1);
    let some = |range: Range<usize>| -> Vec<Judged> {
        // Sentences repeat from row to row: each is kept once.
        let mut sentences = Pool::default();
        range.filter_map(|i| Some(judge(w, p, &Case::build(w, p, i)?, &mut sentences))).collect()
    };
    if threads == 1 {
        return some(0..n);
    }
    let some = &some;
    std::thread::scope(|scope| {
        let each = n.div_ceil(threads);
        let workers: Vec<_> = (0..threads).map(|t| scope.spawn(move || some((t * each).min(n)..((t + 1) * each).min(n)))).collect();
        let mut all = Vec::with_capacity(n);
        for worker in workers {
            match worker.join() {
                Ok(mut judged) => all.append(&mut judged),
                // A rule's panic is nobody's to swallow.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

fn judge(w: &World, p: &Population, case: &Case<'_>, sentences: &mut Pool) -> Judged {
    let mut verdict = rank::verdict(case);
    let slice = w.edge.time.as_ref().map(|slice| slice.number).filter(|(_, of)| *of > 1);
    for item in verdict.evidence.iter_mut().filter(|item| item.kind != EvidenceKind::Line) {
        // Comparisons count what the slice sees.
        item.text = match slice {
            Some((n, of)) if item.kind == EvidenceKind::Contrast => sentences.get(&format!("{} (in slice {n} of {of})", item.text)),
            _ => sentences.get(&item.text),
        };
    }
    verdict.evidence.shrink_to_fit();
    verdict.missing.shrink_to_fit();
    let lines = if w.settings.lines { case.tied_lines(&verdict) } else { Vec::new() };
    let silent = case.silent();
    // The server is shown when something ties the row to it, not merely because it is the only one.
    let tied = verdict.tie != Tie::None || verdict.cause == Cause::KeepaliveRace || silent;
    let gap = case.fact_id.filter(|_| w.edge_kind == EdgeKind::Full).and_then(|f| p.gaps.of(f));
    Judged {
        server: case.server.filter(|_| tied),
        silent,
        reused: crate::rules::keepalive_race::reused(case),
        idle_gap_s: gap.map(|g| (g * 1000.0).round() / 1000.0),
        lines,
        verdict,
    }
}
