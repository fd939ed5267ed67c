//! What the origin pass is asked for: the index that decides which lines are kept.

use crate::edge::EdgeScan;
use crate::fact::{Fact, FactFlags};
use crate::key;
use crate::slice::{IncidentKeys, SliceTime};
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Small broadcast index: which origin lines are worth keeping.
#[derive(Clone, Debug, Default)]
pub struct IncidentIndex {
    /// Rays of incidents (and of their parents), and of the rows chosen for measuring clocks.
    pub rays: HashSet<u64>,
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
        let timed = || scan.facts.iter().filter(|f| f.flags.has(FactFlags::CONTACTED) && f.start_ms != i64::MIN);
        // Some from anywhere, for clocks and usual sizes ...
        let mut chosen: Vec<(u64, u64, u32)> = Vec::new();
        let fewest = |chosen: &mut Vec<(u64, u64, u32)>| {
            if chosen.len() > CLOCK_ROWS {
                chosen.select_nth_unstable(CLOCK_ROWS);
                chosen.truncate(CLOCK_ROWS);
            }
        };
        // ... and some from the seconds around each incident, to know whether the logs cover them.
        let slot = |ms: i64| ms.div_euclid(COVER_SLOT_MS);
        let mut slots: BTreeMap<i64, Vec<(u64, u64, u32)>> = BTreeMap::new();
        for row in &scan.incidents {
            if let Some(at) = row.end.or(row.start).map(|t| slot(t.millis())) {
                for near in at - 1..=at + 1 {
                    slots.entry(near).or_default();
                }
            }
        }
        for f in timed() {
            let entry = (hash(f), f.ray, f.request);
            chosen.push(entry);
            if chosen.len() >= 4 * CLOCK_ROWS {
                fewest(&mut chosen);
            }
            let Some(list) = slots.get_mut(&slot(f.start_ms)) else { continue };
            list.push(entry);
            if list.len() >= 4 * COVER_ROWS {
                list.select_nth_unstable(COVER_ROWS);
                list.truncate(COVER_ROWS);
            }
        }
        fewest(&mut chosen);
        for mut list in slots.into_values() {
            list.sort_unstable();
            list.truncate(COVER_ROWS);
            chosen.append(&mut list);
        }
        for (_, ray, request) in chosen {
            if ray != 0 {
                index.rays.insert(ray);
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
