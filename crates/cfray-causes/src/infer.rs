//! Incidents that nothing explains in the middle of a burst that something explains.
//!
//! Some causes are logged once for many requests: nginx writes at most one `worker_connections` alert
//! a second, a killed worker one line for all its connections. A failure without any line of its own
//! whose neighbours in time on the same server share such a cause shares it, too, at a lower confidence.

use crate::numbered::numbered;
use crate::rank::NAMED;
use crate::rule::sentence;
use cfray_model::report::Row;
use cfray_model::{Cause, EvidenceKind, Tie, Verdict};
use std::collections::BTreeMap;

/// Causes that one line reports for several requests.
const PROCESS_WIDE: &[Cause] = &[
    Cause::WorkerCrash,
    Cause::OomKill,
    Cause::PoolExhausted,
    Cause::ServerRestart,
    Cause::ProxyProtocol,
    Cause::Http2Fault,
    Cause::Throttled,
    Cause::OriginPullRejected,
    Cause::EdgeIncident,
];

/// Of these, what happens to a connection when it opens: requests on older ones have no share in it.
const ON_OPENING: &[Cause] = &[Cause::ProxyProtocol, Cause::Throttled, Cause::OriginPullRejected];

/// What a row is without its verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bare {
    /// The origin wrote no line of it under coverage.
    pub silent: bool,
    /// Its connection had surely carried requests before.
    pub reused: bool,
}

/// Neighbours on either side that are looked at.
const NEAREST: usize = 200;
/// Score of an inferred verdict.
const SCORE: f64 = 0.62;

/// Fills such gaps. `bare` has an entry for each row. Rows come in order of time. Neighbours are sought `reach_s` seconds either way.
pub fn infer(rows: &mut [Row], bare: &[Bare], reach_s: i64) {
    let reach_ms = reach_s.max(0).unsigned_abs().saturating_mul(1000);
    let (server_of, _) = numbered(rows.iter().map(|r| Some(r.server.as_str())));
    let verdicts: Vec<(i64, Option<usize>, Cause, f64)> = (rows.iter().zip(server_of))
        .map(|(r, server)| (r.edge.end.or(r.edge.start).map_or(i64::MIN, |s| s.millis()), server, r.verdict.cause, r.verdict.confidence))
        .collect();
    // Neighbours are found by time; in a storm the nearest few hundred say enough.
    let mut by_time: Vec<(i64, usize)> = verdicts.iter().enumerate().map(|(i, v)| (v.0, i)).collect();
    by_time.sort_unstable();
    for i in 0..rows.len() {
        let Some((at, server, cause, confidence)) = verdicts.get(i) else { continue };
        // A race without a gathering of gaps is little more than a guess.
        if !(*cause == Cause::Unknown || (*cause == Cause::KeepaliveRace && *confidence <= 0.6)) {
            continue;
        }
        let bare = bare.get(i).copied().unwrap_or_default();
        if !bare.silent || *at == i64::MIN {
            continue;
        }
        let mut near: BTreeMap<Cause, (u32, usize)> = BTreeMap::new();
        let mut named = 0u32;
        let middle = by_time.partition_point(|(t, _)| t < at);
        let around = by_time.get(middle.saturating_sub(NEAREST)..(middle + NEAREST).min(by_time.len())).unwrap_or_default();
        for &(t, j) in around {
            let Some((_, s, cause, confidence)) = verdicts.get(j) else { continue };
            // A neighbour without any time stands at the beginning of time.
            if s == server && t.abs_diff(*at) <= reach_ms && *cause != Cause::Unknown && *confidence >= NAMED {
                named += 1;
                near.entry(*cause).or_insert((0, j)).0 += 1;
            }
        }
        let Some((cause, (n, example))) = near.into_iter().max_by_key(|(c, (n, _))| (*n, std::cmp::Reverse(*c))) else { continue };
        if n < 3 || n * 10 < named * 8 || !PROCESS_WIDE.contains(&cause) || (bare.reused && ON_OPENING.contains(&cause)) {
            continue;
        }
        let borrowed = rows.get(example).map(|r| r.verdict.evidence.iter().take(1).cloned().collect::<Vec<_>>()).unwrap_or_default();
        let Some(row) = rows.get_mut(i) else { continue };
        let old: Verdict = row.verdict.clone();
        let mut evidence = borrowed;
        evidence.push(sentence(
            EvidenceKind::Contrast,
            format!("{n} of {named} explained failures of this server within {reach_s} s have this cause"),
        ));
        evidence.extend(old.evidence);
        for item in evidence.split_off(evidence.len().min(crate::rank::ITEMS)) {
            // The line stays in the request's timeline, which had left its text to the evidence.
            let line = row.lines.iter_mut().find(|l| Some(l.line) == item.line && l.source == item.source);
            if let Some(line) = line.filter(|l| l.text.is_empty()) {
                line.text = item.text;
            }
        }
        row.verdict = Verdict {
            cause,
            confidence: crate::confidence::of(SCORE),
            tie: old.tie.max(Tie::Window),
            evidence,
            missing: old.missing,
            runner_up: old.runner_up,
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cfray_model::{EdgeRow, Stamp};

    fn row(end_s: Option<i64>, cause: Cause) -> Row {
        let named = cause != Cause::Unknown;
        Row {
            edge: EdgeRow { end: end_s.map(Stamp::from_secs), ..EdgeRow::default() },
            source: Default::default(),
            server: "web".into(),
            connection: "",
            idle_gap_s: None,
            verdict: Verdict {
                cause,
                confidence: if named { 0.9 } else { 0.2 },
                tie: Tie::None,
                evidence: Vec::new(),
                missing: Vec::new(),
                runner_up: None,
            },
            episode: None,
            retry: "",
            cleared_after_s: None,
            counted: true,
            lines: Vec::new(),
        }
    }

    #[test]
    fn neighbours_share_a_cause_and_one_without_any_time_is_none() {
        let at = 1_795_350_000;
        let crash = |by| row(Some(at + by), Cause::WorkerCrash);
        let mut rows = vec![row(None, Cause::WorkerCrash), crash(0), crash(1), row(Some(at + 1), Cause::Unknown), crash(2)];
        // At the ends of time as well.
        rows.extend([i64::MIN, i64::MAX].map(|s| row(Some(s), Cause::Unknown)));
        let silent = vec![Bare { silent: true, reused: false }; rows.len()];
        infer(&mut rows, &silent, 3);
        assert_eq!(rows[3].verdict.cause, Cause::WorkerCrash);
        assert_eq!(rows[3].verdict.evidence.last().unwrap().text, "3 of 3 explained failures of this server within 3 s have this cause");
        assert!(rows[5..].iter().all(|r| r.verdict.cause == Cause::Unknown));
        let mut few = vec![row(None, Cause::WorkerCrash), crash(0), crash(1), row(Some(at + 1), Cause::Unknown)];
        infer(&mut few, &silent, 3);
        assert_eq!(few[3].verdict.cause, Cause::Unknown, "the one without a time is no neighbour");
        infer(&mut few, &silent, i64::MAX);
    }
}
