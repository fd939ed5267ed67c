//! How origin addresses fare: for `wrong-origin` and what looks like it.

use super::spoke_http;
use crate::join::coverage::{Coverage, Covered};
use crate::join::world::{Span, World};
use cfray_model::FactFlags;
use std::collections::{BTreeMap, BTreeSet};

/// Counts of one origin address for one host.
#[derive(Clone, Copy, Debug, Default)]
pub struct OriginCount {
    /// Requests sent there.
    pub asked: u64,
    /// Answered with valid HTTP of any status.
    pub spoke: u64,
    /// Ended in 520.
    pub failed: u64,
    /// Tied to an origin line.
    pub tied: u64,
    /// Asked at moments that the access log of some server covers: only of these does "no line" say something.
    pub covered: u64,
}

/// Milliseconds since the epoch by origin address, sorted.
type Moments = BTreeMap<String, Vec<i64>>;

/// See the module.
#[derive(Debug, Default)]
pub struct Origins {
    /// By (host, origin address).
    pub by_host: BTreeMap<(String, String), OriginCount>,
    /// Addresses that were asked at least three times and never gave valid HTTP; by server those that it answers for.
    never_spoke: BTreeSet<String>,
    refusing: BTreeMap<usize, Vec<String>>,
    /// Starts of 521s by origin address, in milliseconds, sorted. Rows without an address go with every origin.
    refused: Moments,
    /// Starts of requests that an origin address answered, likewise; only of addresses that `refused` holds.
    spoken: Moments,
    /// Starts of 521s and 522s by edge address, likewise.
    refused_by_edge: Moments,
    /// Ends of 520s by origin address, likewise.
    cut: Moments,
}

impl Origins {
    /// When requests to an origin address were refused (521).
    pub fn refused(&self, origin: &str) -> &[i64] {
        self.refused.get(origin).map_or(&[], Vec::as_slice)
    }

    /// How many requests through an edge address were refused or not taken in a time (milliseconds since the epoch).
    pub fn refused_by_edge(&self, edge_ip: &str, from_ms: i64, to_ms: i64) -> usize {
        let within = |list: &Vec<i64>| list.partition_point(|t| *t <= to_ms).saturating_sub(list.partition_point(|t| *t < from_ms));
        self.refused_by_edge.get(edge_ip).map_or(0, within)
    }

    /// When requests started that an origin address answered. Not known (empty) for one that never refused.
    pub fn spoken(&self, origin: &str) -> &[i64] {
        self.spoken.get(origin).map_or(&[], Vec::as_slice)
    }

    /// When requests to an origin address ended in 520.
    pub fn cut(&self, origin: &str) -> &[i64] {
        self.cut.get(origin).map_or(&[], Vec::as_slice)
    }

    /// Did an origin address never give valid HTTP to anybody?
    pub fn never_spoke(&self, origin: &str) -> bool {
        self.never_spoke.contains(origin)
    }

    /// Addresses of a server that never gave valid HTTP.
    pub fn refusing(&self, server: usize) -> &[String] {
        self.refusing.get(&server).map_or(&[], Vec::as_slice)
    }

    /// Counts.
    pub fn build(w: &World, coverage: &Coverage) -> Self {
        let mut by_host: BTreeMap<(String, String), OriginCount> = BTreeMap::new();
        let mut by_combo: Vec<OriginCount> = vec![OriginCount::default(); w.edge.combos.len()];
        for f in &w.edge.facts {
            let Some(count) = by_combo.get_mut(f.combo as usize) else { continue };
            if f.flags.has(FactFlags::INTERNAL) {
                continue;
            }
            count.asked += 1;
            count.spoke += u64::from(spoke_http(f));
            count.failed += u64::from(f.edge_status == 520);
        }
        for (fact, lines) in w.ties.of_fact.iter() {
            let own = lines.iter().any(|e| !w.ties.open.contains(e));
            let Some(f) = w.edge.facts.get(fact as usize).filter(|f| own && !f.flags.has(FactFlags::INTERNAL)) else { continue };
            if let Some(count) = by_combo.get_mut(f.combo as usize) {
                count.tied += 1;
            }
        }
        count_covered(w, coverage, &mut by_combo);
        for (c, n) in w.edge.combos.iter().zip(&by_combo) {
            if c.origin_ip.is_empty() {
                continue;
            }
            let slot = by_host.entry((c.host.clone(), c.origin_ip.clone())).or_default();
            slot.asked += n.asked;
            slot.spoke += n.spoke;
            slot.failed += n.failed;
            slot.tied += n.tied;
            slot.covered += n.covered;
        }
        let mut heard: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for ((_, origin), n) in &by_host {
            let (asked, spoke) = heard.entry(origin).or_default();
            (*asked, *spoke) = (*asked + n.asked, *spoke + n.spoke);
        }
        let mute = heard.into_iter().filter(|(_, (asked, spoke))| *asked >= 3 && *spoke == 0);
        let never_spoke: BTreeSet<String> = mute.map(|(origin, _)| origin.to_owned()).collect();
        let mut refusing: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (origin, servers) in w.origin_servers.iter().filter(|(origin, _)| never_spoke.contains(*origin)) {
            if let Some((server, _)) = servers.first() {
                refusing.entry(*server).or_default().push(origin.clone());
            }
        }
        let (mut refused, mut cut, mut refused_by_edge) = (Moments::new(), Moments::new(), Moments::new());
        let mut anywhere = Vec::new();
        for f in w.edge.facts.iter().filter(|f| matches!(f.edge_status, 520..=522) && f.start_ms != i64::MIN) {
            let Some(combo) = w.edge.combos.get(f.combo as usize) else { continue };
            if matches!(f.edge_status, 521 | 522) && !combo.edge_ip.is_empty() {
                refused_by_edge.entry(combo.edge_ip.clone()).or_default().push(f.start_ms);
            }
            let origin = combo.origin_ip.as_str();
            match f.edge_status {
                521 if origin.is_empty() => anywhere.push(f.start_ms),
                521 => refused.entry(origin.to_owned()).or_default().push(f.start_ms),
                520 => cut.entry(origin.to_owned()).or_default().push(f.start_ms + i64::from(f.dur_ms)),
                _ => {}
            }
        }
        if !anywhere.is_empty() {
            for c in &w.edge.combos {
                refused.entry(c.origin_ip.clone()).or_default();
            }
            for list in refused.values_mut() {
                list.extend(&anywhere);
            }
        }
        let spoken = if refused.is_empty() { Moments::new() } else { answers(w, &refused) };
        for list in refused.values_mut().chain(cut.values_mut()).chain(refused_by_edge.values_mut()) {
            list.sort_unstable();
        }
        Self { by_host, never_spoke, refusing, refused, refused_by_edge, spoken, cut }
    }
}

/// So many covered requests of an address that never answered say enough.
const ENOUGH: u64 = 200;

/// Fills [`OriginCount::covered`] for addresses that never answered: nobody asks for the others.
fn count_covered(w: &World, coverage: &Coverage, by_combo: &mut [OriginCount]) {
    let servers: Vec<usize> = w.servers.iter().enumerate().filter(|(_, s)| s.has_access).map(|(i, _)| i).collect();
    if servers.is_empty() {
        return;
    }
    for f in w.edge.facts.iter().filter(|f| !f.flags.has(FactFlags::INTERNAL)) {
        let Some(count) = by_combo.get_mut(f.combo as usize).filter(|n| n.spoke == 0 && n.covered < ENOUGH) else { continue };
        let Some(end) = f.end() else { continue };
        let span = Span { lo: end.0, hi: end.0 + f.precision_ns() };
        count.covered += u64::from(servers.iter().any(|&s| coverage.at(s, span, 0) == Covered::Yes));
    }
}

/// When requests started that an origin address answered, for the addresses that refused some.
fn answers(w: &World, refused: &Moments) -> Moments {
    let names: Vec<&String> = refused.keys().collect();
    let list_of: Vec<Option<usize>> = w.edge.combos.iter().map(|c| names.binary_search(&&c.origin_ip).ok()).collect();
    let mut lists: Vec<Vec<i64>> = vec![Vec::new(); names.len()];
    for f in w.edge.facts.iter().filter(|f| f.start_ms != i64::MIN && spoke_http(f)) {
        if let Some(list) = list_of.get(f.combo as usize).copied().flatten().and_then(|i| lists.get_mut(i)) {
            list.push(f.start_ms);
        }
    }
    names.into_iter().cloned().zip(lists).collect()
}
