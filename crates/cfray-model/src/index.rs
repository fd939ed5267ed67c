//! What the origin pass is asked for: the index that decides which lines are kept.

use crate::edge::EdgeScan;
use crate::fact::{Fact, FactFlags};
use crate::key;
use crate::slice::{IncidentKeys, SliceTime};
use foldhash::HashSet;
use std::sync::Arc;

/// Small broadcast index: which origin lines are worth keeping.
#[derive(Clone, Debug, Default)]
pub struct IncidentIndex {
    /// Rays of incidents (and of their parents), and of the rows chosen for measuring clocks.
    pub rays: HashSet<u64>,
    /// Of [`Self::rays`] those of rows that are no incident.
    pub chosen: HashSet<u64>,
    /// Low halves of request keys, likewise.
    pub requests: HashSet<u32>,
    /// Keep every line that names a request (for `cfray ray` without Logpush data: rays only).
    pub only_rays: bool,
    /// Where incidents are analysed in slices: those of all slices. A line of another slice's incident is left to that slice.
    pub everybody: Option<Arc<IncidentKeys>>,
    /// Keep only lines that can matter to this time.
    pub time: Option<SliceTime>,
    /// Keep a choice of ordinary answers: the edge rows lack something that failing requests have to be
    /// compared by (succeeding requests, or the edge address).
    pub answers: bool,
}

/// Upper bound on rows chosen for measuring clocks.
const CLOCK_ROWS: usize = 2048;
/// Rows chosen around incidents, for each slot of this many milliseconds.
const COVER_ROWS: usize = 12;
/// See [`COVER_ROWS`].
const COVER_SLOT_MS: i64 = 10_000;

/// Hash, ray and request of a fact.
type Choice = (u64, u64, u32);

/// The `N` smallest.
#[derive(Default)]
struct Fewest<const N: usize> {
    few: Vec<Choice>,
    /// What is not below this is not among them.
    limit: Option<Choice>,
}

impl<const N: usize> Fewest<N> {
    fn see(&mut self, choice: Choice) {
        if self.limit.is_none_or(|limit| choice < limit) {
            self.few.push(choice);
            if self.few.len() >= 4 * N {
                self.cut();
            }
        }
    }

    fn cut(&mut self) {
        if self.few.len() > N {
            self.limit = Some(*self.few.select_nth_unstable(N).1);
            self.few.truncate(N);
        }
    }

    fn finish(mut self) -> impl Iterator<Item = Choice> {
        self.cut();
        self.few.into_iter()
    }
}

impl IncidentIndex {
    /// Incidents, plus the rows with the smallest ray hash for clocks: a choice that depends only
    /// on the set of rows, not on their order.
    pub fn build(scan: &EdgeScan) -> Self {
        let mut index = Self {
            everybody: scan.everybody.clone(),
            time: scan.time.clone(),
            answers: !scan.incidents.is_empty() && (scan.counters.below_500 == 0 || !scan.tells_edge_address()),
            ..Self::default()
        };
        let mut lossy = false;
        for row in &scan.incidents {
            index.rays.extend(row.ray.map(|r| r.0));
            index.rays.extend(row.parent_ray.map(|r| r.0));
            if let (Some(method), Some(uri)) = (&row.method, &row.uri) {
                index.requests.insert(key::request_key(method.as_bytes(), uri.as_bytes()) as u32);
                lossy |= uri.contains(char::REPLACEMENT_CHARACTER) || method.contains(char::REPLACEMENT_CHARACTER);
            }
        }
        // A row holds text. Where bytes were no UTF-8, only its fact knows what the origin's log has.
        if lossy {
            index.requests.extend(scan.facts.iter().filter(|f| f.flags.has(FactFlags::INCIDENT) && f.request != 0).map(|f| f.request));
        }
        // A choice by hash depends on the set of rows only, not on their order.
        let hash = |f: &Fact| key::bytes_key([f.ray.to_le_bytes(), f.start_ms.to_le_bytes()].as_flattened());
        // Some from anywhere, for clocks and usual sizes, and some from the seconds around each incident, to know whether the logs
        // cover them.
        let slot = |ms: i64| ms.div_euclid(COVER_SLOT_MS);
        let mut slots: Vec<i64> = Vec::new();
        for row in &scan.incidents {
            slots.extend(row.end.or(row.start).map(|t| slot(t.millis())));
        }
        slots.sort_unstable();
        slots.dedup();
        let mut slots: Vec<i64> = slots.iter().flat_map(|at| at - 1..=at + 1).collect();
        slots.sort_unstable();
        slots.dedup();
        let mut anywhere = Fewest::<CLOCK_ROWS>::default();
        let mut covers: Vec<Fewest<COVER_ROWS>> = Vec::new();
        // Facts come in order of time: the next slots, the one that is being filled, and whether it is wanted.
        let mut slots = slots.into_iter().peekable();
        let (mut current, mut wanted) = (i64::MIN, false);
        for f in scan.facts.iter().filter(|f| f.flags.has(FactFlags::CONTACTED) && f.start_ms != i64::MIN) {
            let choice = (hash(f), f.ray, f.request);
            anywhere.see(choice);
            let at = slot(f.start_ms);
            if at != current {
                while slots.next_if(|slot| *slot < at).is_some() {}
                (current, wanted) = (at, slots.peek() == Some(&at));
                if wanted {
                    covers.push(Fewest::default());
                }
            }
            if let Some(cover) = covers.last_mut().filter(|_| wanted) {
                cover.see(choice);
            }
        }
        let chosen = anywhere.finish().chain(covers.into_iter().flat_map(Fewest::finish));
        for (_, ray, request) in chosen {
            if ray != 0 && index.rays.insert(ray) {
                index.chosen.insert(ray);
            }
            if request != 0 {
                index.requests.insert(request);
            }
        }
        index
    }

    /// Is a line with this ray or request key wanted?
    pub fn wants(&self, ray: u64, request: u64) -> bool {
        // A line with a ray of its own belongs to that ray's row whatever it asks for.
        if ray != 0 {
            return self.rays.contains(&ray);
        }
        !self.only_rays && request != 0 && self.requests.contains(&(request as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::EdgeRow;
    use crate::facts::Facts;
    use crate::ray::RayId;
    use crate::time::Stamp;

    #[test]
    fn a_few_rows_of_each_slot_around_an_incident_are_chosen() {
        let contacted = FactFlags(FactFlags::CONTACTED);
        let fact = |n: i64| Fact { start_ms: n * 10, ray: n as u64 + 1, request: n as u32 + 1, flags: contacted, ..Fact::default() };
        let mut facts: Vec<Fact> = (0..100_000).map(fact).collect();
        facts.push(Fact { start_ms: i64::MIN, ray: 7_000_000, flags: contacted, ..Fact::default() });
        facts.sort();
        let incident = EdgeRow { ray: Some(RayId(9_000_000)), end: Some(Stamp(500_000 * crate::time::MILLI)), ..EdgeRow::default() };
        let scan = EdgeScan { facts: Facts::from(facts.clone()), incidents: vec![incident], ..EdgeScan::default() };
        let index = IncidentIndex::build(&scan);
        assert!(index.rays.contains(&9_000_000) && !index.rays.contains(&7_000_000));
        // Those with the smallest hashes: of all rows, and of the three slots of ten seconds around the incident.
        let hash = |f: &Fact| key::bytes_key([f.ray.to_le_bytes(), f.start_ms.to_le_bytes()].as_flattened());
        let fewest = |from: i64, to: i64, n: usize| {
            let timed = facts.iter().filter(|f| (from..to).contains(&f.start_ms));
            let mut list: Vec<(u64, u64)> = timed.map(|f| (hash(f), f.ray)).collect();
            list.sort_unstable();
            list.truncate(n);
            list.into_iter().map(|(_, ray)| ray)
        };
        let slots = [490_000, 500_000, 510_000].into_iter().flat_map(|from| fewest(from, from + COVER_SLOT_MS, COVER_ROWS));
        let wanted: HashSet<u64> = fewest(0, i64::MAX, CLOCK_ROWS).chain(slots).chain([9_000_000]).collect();
        assert_eq!(index.rays, wanted);
    }
}
