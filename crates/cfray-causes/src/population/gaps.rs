//! Idle gaps: how long an edge address had not asked an origin address before a request.
//!
//! A server that closes idle connections after N seconds loses the requests that Cloudflare sends on
//! them at that very moment, so the gaps of such failures gather at N; and no connection is ever
//! reused with success after a longer pause.

use super::silent::{Silent, silent};
use super::{Population, answered, has_access_line};
use crate::contrast::fisher;
use crate::join::world::{EdgeKind, World};
use crate::numbered::numbered;
use cfray_model::{Fact, FactFlags};
use foldhash::HashMap;
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
    /// By fact of an incident: seconds, where there is an earlier request of the pair.
    gap_s: HashMap<u32, f32>,
    /// By origin address.
    gathering: BTreeMap<String, Gathering>,
}

/// A failure within this many round trips is "at once": the server answered with a reset.
pub const AT_ONCE: f64 = 1.35;
/// Milliseconds added to it for scheduling on either side.
pub const AT_ONCE_MS: f64 = 12.0;

impl Gaps {
    /// Computes the gaps of failures and the gatherings.
    pub fn build(w: &World, p: &Population) -> Self {
        let pairs = Pairs::of(w);
        let mut gaps = Self { silent: silent(w, p), ..Self::default() };
        pairs.walk(w, |i, f, gap| {
            if let Some(gap) = gap.filter(|_| f.flags.has(FactFlags::INCIDENT)) {
                gaps.gap_s.insert(i as u32, gap);
            }
        });
        // Without the succeeding requests a gap is not a connection's idle time.
        if w.edge_kind == EdgeKind::Full {
            gaps.gather(w, &pairs);
        }
        gaps
    }

    /// Seconds since the last request of the pair ended, for the fact of an incident. Only meaningful for a full edge log.
    pub fn of(&self, fact: u32) -> Option<f64> {
        self.gap_s.get(&fact).copied().map(f64::from)
    }

    /// Where the suspicious failures of an origin gather, if they do.
    pub fn gathering(&self, origin: &str) -> Option<&Gathering> {
        self.gathering.get(origin)
    }

    /// How an origin's silent failures look.
    pub fn silent(&self, origin: &str) -> Silent {
        self.silent.get(origin).copied().unwrap_or_default()
    }

    fn gather(&mut self, w: &World, pairs: &Pairs) {
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
        suspects.retain(|_, list| list.len() >= 5);
        if suspects.is_empty() {
            return;
        }
        let (origins, mut stretches): (Vec<&str>, Vec<Stretch>) =
            suspects.into_iter().map(|(origin, list)| (origin, Stretch::densest(list))).unzip();
        let of_combo: Vec<Option<usize>> = w.edge.combos.iter().map(|c| origins.binary_search(&c.origin_ip.as_str()).ok()).collect();
        pairs.walk(w, |_, f, gap| {
            if answered(f)
                && f.flags.has(FactFlags::REUSED)
                && let Some(stretch) = of_combo.get(f.combo as usize).copied().flatten().and_then(|at| stretches.get_mut(at))
            {
                stretch.answered(gap.map(f64::from));
            }
        });
        let found = origins.into_iter().zip(stretches).filter_map(|(origin, stretch)| Some((origin.to_owned(), stretch.gathering()?)));
        self.gathering = found.collect();
    }
}

/// Pairs of an edge address and an origin address, by combo.
struct Pairs {
    of_combo: Vec<Option<usize>>,
    count: usize,
}

impl Pairs {
    fn of(w: &World) -> Self {
        let pairs =
            w.edge.combos.iter().map(|c| Some((&c.edge_ip, &c.origin_ip)).filter(|(edge, origin)| !edge.is_empty() && !origin.is_empty()));
        let (of_combo, pairs) = numbered(pairs);
        Self { of_combo, count: pairs.len() }
    }

    /// Every fact with its number, and with the seconds since the last request of its pair ended, if there was one.
    fn walk(&self, w: &World, mut each: impl FnMut(usize, &Fact, Option<f32>)) {
        // Facts come in order of start; ends that lie before the next start become "the last end".
        let mut running: Vec<(BinaryHeap<Reverse<i64>>, Option<i64>)> = vec![(BinaryHeap::new(), None); self.count];
        for (i, f) in w.edge.facts.iter().enumerate() {
            let pair = self.of_combo.get(f.combo as usize).copied().flatten();
            let timed = f.flags.has(FactFlags::CONTACTED) && f.start_ms != i64::MIN;
            let Some((open, last)) = pair.filter(|_| timed).and_then(|pair| running.get_mut(pair)) else {
                each(i, f, None);
                continue;
            };
            while let Some(Reverse(end)) = open.peek().copied() {
                if end > f.start_ms {
                    break;
                }
                open.pop();
                *last = Some(last.map_or(end, |l: i64| l.max(end)));
            }
            each(i, f, last.map(|last| (f.start_ms - last) as f32 / 1000.0));
            open.push(Reverse(f.start_ms + i64::from(f.dur_ms)));
        }
    }
}

/// Where the gaps of one origin's suspicious failures lie most densely.
#[derive(Default)]
struct Stretch {
    /// What lies there is between these, in seconds.
    bottom: f64,
    top: f64,
    middle: f64,
    /// Failures inside, and all suspicious ones with a known gap.
    inside: u64,
    all: u64,
    /// Requests answered on reused connections: after a longer gap, after one from inside, all.
    longer_ok: u64,
    inside_ok: u64,
    reused_ok: u64,
}

impl Stretch {
    /// Of gaps, each with the width of its ticks, in seconds; there are some.
    fn densest(mut list: Vec<(f64, f64)>) -> Self {
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
        Self { bottom, top, middle, inside: (best.1 - best.0) as u64, all: list.len() as u64, ..Self::default() }
    }

    fn answered(&mut self, gap: Option<f64>) {
        self.reused_ok += 1;
        self.longer_ok += u64::from(gap.is_some_and(|g| g > self.top));
        self.inside_ok += u64::from(gap.is_some_and(|g| (self.bottom..=self.top).contains(&g)));
    }

    /// `None` where answered reuses lie as densely: then the failures gather for no reason of their own.
    fn gathering(self) -> Option<Gathering> {
        let Self { middle, inside, all, longer_ok, inside_ok, reused_ok, .. } = self;
        let chance = fisher(inside, all, inside_ok, reused_ok) * all as f64;
        (chance <= 0.001).then_some(Gathering { at_s: middle, inside, all, longer_ok, reused_ok })
    }
}

/// Did a failure come back within about one round trip?
pub fn within_round_trip(ms: i64, rtt_ms: Option<f64>) -> bool {
    match rtt_ms {
        Some(rtt) => (ms as f64) <= rtt * AT_ONCE + AT_ONCE_MS,
        None => ms <= 400,
    }
}
