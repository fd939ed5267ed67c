//! Idle gaps: how long an edge address had not asked an origin address before a request.
//!
//! A server that closes idle connections after N seconds loses the requests that Cloudflare sends on
//! them at that very moment, so the gaps of such failures gather at N; and no connection is ever
//! reused with success after a longer pause.

use super::silent::{Silent, silent};
use super::{Population, answered, has_access_line};
use crate::contrast::fisher;
use crate::join::world::{EdgeKind, World};
use cfray_model::FactFlags;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Where the gaps of suspicious failures of one origin gather.
#[derive(Clone, Debug, PartialEq)]
pub struct Gathering {
    /// The constant, in seconds.
    pub at_s: f64,
    /// Failures whose gap lies there, and all suspicious failures with a known gap.
    pub inside: u64,
    /// See `inside`.
    pub all: u64,
    /// Requests answered on a reused connection after a longer gap, and all answered on reused ones.
    pub longer_ok: u64,
    /// See `longer_ok`.
    pub reused_ok: u64,
}

/// Idle gaps of a run.
#[derive(Debug, Default)]
pub struct Gaps {
    /// By origin address.
    silent: BTreeMap<String, Silent>,
    /// By fact: seconds, NaN when there is no earlier request of the pair.
    gap_s: Vec<f32>,
    /// By origin address.
    gathering: BTreeMap<String, Gathering>,
}

/// A failure within this many round trips is "at once": the server answered with a reset.
pub const AT_ONCE: f64 = 1.35;
/// Milliseconds added to it for scheduling on either side.
pub const AT_ONCE_MS: f64 = 12.0;

impl Gaps {
    /// Computes gaps of all facts and the gatherings.
    pub fn build(w: &World, p: &Population) -> Self {
        let facts = &w.edge.facts;
        let mut pair_of: Vec<Option<u32>> = Vec::with_capacity(w.edge.combos.len());
        let mut pairs: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for c in &w.edge.combos {
            if c.edge_ip.is_empty() || c.origin_ip.is_empty() {
                pair_of.push(None);
                continue;
            }
            let next = pairs.len() as u32;
            pair_of.push(Some(*pairs.entry((&c.edge_ip, &c.origin_ip)).or_insert(next)));
        }
        // Facts come in order of start; ends that lie before the next start become "the last end".
        let mut running: Vec<(BinaryHeap<Reverse<i64>>, Option<i64>)> = vec![(BinaryHeap::new(), None); pairs.len()];
        let mut gap_s = vec![f32::NAN; facts.len()];
        for (i, f) in facts.iter().enumerate() {
            let (Some(Some(pair)), true) = (pair_of.get(f.combo as usize), f.flags.has(FactFlags::CONTACTED) && f.start_ms != i64::MIN)
            else {
                continue;
            };
            let Some((open, last)) = running.get_mut(*pair as usize) else { continue };
            while let Some(Reverse(end)) = open.peek().copied() {
                if end > f.start_ms {
                    break;
                }
                open.pop();
                *last = Some(last.map_or(end, |l: i64| l.max(end)));
            }
            if let (Some(last), Some(slot)) = (*last, gap_s.get_mut(i)) {
                *slot = (f.start_ms - last) as f32 / 1000.0;
            }
            open.push(Reverse(f.start_ms + i64::from(f.dur_ms)));
        }
        let mut gaps = Self { gap_s, silent: silent(w, p), gathering: BTreeMap::new() };
        // Without the succeeding requests a gap is not a connection's idle time.
        if w.edge_kind == EdgeKind::Full {
            gaps.gather(w);
        }
        gaps
    }

    /// Seconds since the last request of the pair ended. Only meaningful for a full edge log.
    pub fn of(&self, fact: u32) -> Option<f64> {
        self.gap_s.get(fact as usize).copied().filter(|g| g.is_finite()).map(f64::from)
    }

    /// Where the suspicious failures of an origin gather, if they do.
    pub fn gathering(&self, origin: &str) -> Option<&Gathering> {
        self.gathering.get(origin)
    }

    /// How an origin's silent failures look.
    pub fn silent(&self, origin: &str) -> Silent {
        self.silent.get(origin).copied().unwrap_or_default()
    }

    fn gather(&mut self, w: &World) {
        let mut suspects: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
        for (i, row) in w.edge.incidents.iter().enumerate() {
            let Some(fact) = w.incident_fact.get(i).copied().flatten() else { continue };
            let origin = row.origin_ip.as_deref().unwrap_or_default();
            let rtt = w.rtt_of(row);
            let at_once = row.header_ms.or(row.duration_ms).is_none_or(|ms| within_round_trip(ms, rtt));
            if row.reused() != Some(true) || has_access_line(w, fact) || !at_once {
                continue;
            }
            if let Some(gap) = self.of(fact) {
                suspects.entry(origin).or_default().push((gap, row.precision_ns as f64 / 1e9));
            }
        }
        for (origin, mut list) in suspects {
            if list.len() < 5 {
                continue;
            }
            list.sort_by(|a, b| a.0.total_cmp(&b.0));
            let tick = list.iter().map(|g| g.1).fold(0.0, f64::max);
            // The densest stretch of the width that ticks and latency allow.
            let width = |at: f64| (2.0 * tick).max(0.16 * at).max(0.3);
            let mut best = (0usize, 0usize);
            for from in 0..list.len() {
                let lo = list.get(from).map_or(0.0, |g| g.0);
                let to = list.partition_point(|g| g.0 <= lo + width(lo));
                if to - from > best.1 - best.0 {
                    best = (from, to);
                }
            }
            let middle = list.get((best.0 + best.1) / 2).map_or(0.0, |g| g.0);
            let top = list.get(best.1.saturating_sub(1)).map_or(0.0, |g| g.0) + tick.max(0.05 * middle).max(0.1);
            let bottom = list.get(best.0).map_or(0.0, |g| g.0) - tick;
            let (mut longer_ok, mut reused_ok, mut inside_ok) = (0, 0, 0u64);
            for (i, f) in w.edge.facts.iter().enumerate() {
                let same = w.edge.combos.get(f.combo as usize).is_some_and(|c| c.origin_ip == origin);
                if same && answered(f) && f.flags.has(FactFlags::REUSED) {
                    reused_ok += 1;
                    let gap = self.of(i as u32);
                    longer_ok += u64::from(gap.is_some_and(|g| g > top));
                    inside_ok += u64::from(gap.is_some_and(|g| (bottom..=top).contains(&g)));
                }
            }
            // Where answered reuses lie as densely, the failures gather for no reason of their own.
            let inside = (best.1 - best.0) as u64;
            if fisher(inside, list.len() as u64, inside_ok, reused_ok) * list.len() as f64 > 0.001 {
                continue;
            }
            let found = Gathering { at_s: middle, inside, all: list.len() as u64, longer_ok, reused_ok };
            self.gathering.insert(origin.to_owned(), found);
        }
    }
}

/// Did a failure come back within about one round trip?
pub fn within_round_trip(ms: i64, rtt_ms: Option<f64>) -> bool {
    match rtt_ms {
        Some(rtt) => (ms as f64) <= rtt * AT_ONCE + AT_ONCE_MS,
        None => ms <= 400,
    }
}
