//! How origin addresses and colos fare: for `wrong-origin` and `edge-incident`.

use super::spoke_http;
use crate::join::coverage::{Coverage, Covered};
use crate::join::world::{Span, World};
use cfray_model::{Fact, FactFlags};
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

/// A time in which a colo failed several origins that answered other colos.
#[derive(Clone, Copy, Debug, Default)]
pub struct BadColo {
    from_ms: i64,
    to_ms: i64,
    /// Origin addresses that it failed.
    pub origins: u64,
    /// Its failures.
    pub failures: u64,
    /// Answers of these origins to other colos.
    pub others: u64,
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
    /// Colos that fail several origins while others reach them.
    bad_colos: BTreeMap<String, Vec<BadColo>>,
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

    /// The trouble of a colo at a moment (milliseconds since the epoch).
    pub fn bad_colo(&self, colo: &str, at_ms: i64) -> Option<&BadColo> {
        self.bad_colos.get(colo)?.iter().find(|bad| (bad.from_ms..=bad.to_ms).contains(&at_ms))
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
        // A sum: the order of the map is of no consequence.
        #[allow(clippy::iter_over_hash_type)]
        for (fact, lines) in &w.ties.of_fact {
            let own = lines.iter().any(|e| !w.ties.open.contains(e));
            let Some(f) = w.edge.facts.get(*fact as usize).filter(|f| own && !f.flags.has(FactFlags::INTERNAL)) else { continue };
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
        let bad_colos = bad_colos(w);
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
        Self { by_host, never_spoke, refusing, bad_colos, refused, refused_by_edge, spoken, cut }
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

/// What happened this long before a colo's first failure and after its last one still counts.
const MARGIN_MS: i64 = 2_000;
/// A colo's trouble is over when it has not failed for this long: what fails hours later is another matter.
const PAUSE_MS: i64 = 300_000;
/// A colo fails at least so often in its trouble.
const FAILURES: u64 = 5;

/// How requests ended: with valid HTTP, in 520.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    spoke: u64,
    failed: u64,
}

impl Ended {
    fn add(&mut self, f: &Fact) {
        self.failed += u64::from(f.edge_status == 520);
        self.spoke += u64::from(spoke_http(f));
    }
}

/// Failures of a colo in a row, with what else happened from the first to the last.
#[derive(Debug)]
struct Spell<'a> {
    colo: &'a str,
    number: usize,
    /// With some seconds on either side, in milliseconds since the epoch.
    from: i64,
    to: i64,
    failures: u64,
    /// By origin that this colo failed at least twice: what it saw in it, and what all colos did.
    origins: BTreeMap<usize, (Ended, Ended)>,
}

impl Spell<'_> {
    /// Did this colo fail at least two origins that answered every other colo?
    fn judge(&self) -> Option<BadColo> {
        let mut bad = BadColo { from_ms: self.from, to_ms: self.to, ..BadColo::default() };
        for (here, all) in self.origins.values() {
            let (spoke, failed) = (all.spoke - here.spoke, all.failed - here.failed);
            if here.failed >= 2 && here.failed >= here.spoke && spoke >= 5 && failed * 10 <= spoke {
                bad.origins += 1;
                bad.failures += here.failed;
                bad.others += spoke;
            }
        }
        (bad.origins >= 2 && bad.failures >= FAILURES).then_some(bad)
    }
}

/// Spells of colos through which at least two origins fail while answering every other colo at that time.
fn bad_colos(w: &World) -> BTreeMap<String, Vec<BadColo>> {
    fn number<'a>(names: &mut BTreeMap<&'a str, usize>, name: &'a str) -> usize {
        let next = names.len();
        *names.entry(name).or_insert(next)
    }
    let (mut colos, mut origins) = (BTreeMap::new(), BTreeMap::new());
    let places: Vec<(usize, Option<usize>)> = (w.edge.combos.iter())
        .map(|c| (number(&mut colos, &c.colo), (!c.origin_ip.is_empty()).then(|| number(&mut origins, &c.origin_ip))))
        .collect();
    let place = |f: &Fact| places.get(f.combo as usize).copied();
    let names: BTreeMap<usize, &str> = colos.iter().map(|(name, number)| (*number, *name)).collect();
    let mut spells = spells(w, &names, |f| place(f).map(|(colo, _)| colo));
    // What each colo saw in its spells, and which origins may be those that it failed.
    let mut of_colo: Vec<Vec<usize>> = vec![Vec::new(); colos.len()];
    spells.sort_by_key(|spell| (spell.from, spell.number));
    for (i, spell) in spells.iter().enumerate() {
        if let Some(list) = of_colo.get_mut(spell.number) {
            list.push(i);
        }
    }
    let timed = || w.edge.facts.iter().filter(|f| f.start_ms != i64::MIN);
    let mut current = vec![0usize; colos.len()];
    for f in timed() {
        let Some((colo, Some(origin))) = place(f) else { continue };
        let (Some(list), Some(at)) = (of_colo.get(colo), current.get_mut(colo)) else { continue };
        while list.get(*at).and_then(|i| spells.get(*i)).is_some_and(|spell| spell.to < f.start_ms) {
            *at += 1;
        }
        if let Some(spell) = list.get(*at).and_then(|i| spells.get_mut(*i)).filter(|spell| spell.from <= f.start_ms) {
            spell.origins.entry(origin).or_default().0.add(f);
        }
    }
    for spell in &mut spells {
        spell.origins.retain(|_, (here, _)| here.failed >= 2);
    }
    spells.retain(|spell| spell.origins.len() >= 2);
    // What happened in a spell is what has happened at its end, less what had at its beginning.
    let mut marks: Vec<(i64, usize)> = spells.iter().enumerate().flat_map(|(i, spell)| [(spell.from, i), (spell.to + 1, i)]).collect();
    marks.sort_unstable();
    let mut so_far = vec![Ended::default(); origins.len()];
    let mut marks = marks.into_iter().peekable();
    let mut settle = |until: i64, so_far: &[Ended]| {
        while let Some((_, i)) = marks.next_if(|(at, _)| *at <= until) {
            for (origin, (_, all)) in spells.get_mut(i).into_iter().flat_map(|spell| &mut spell.origins) {
                let now = so_far.get(*origin).copied().unwrap_or_default();
                *all = Ended { spoke: now.spoke - all.spoke, failed: now.failed - all.failed };
            }
        }
    };
    for f in timed() {
        settle(f.start_ms, &so_far);
        if let Some(sum) = place(f).and_then(|(_, origin)| so_far.get_mut(origin?)) {
            sum.add(f);
        }
    }
    settle(i64::MAX, &so_far);
    let mut out: BTreeMap<String, Vec<BadColo>> = BTreeMap::new();
    for spell in &spells {
        if let Some(bad) = spell.judge() {
            out.entry(spell.colo.to_owned()).or_default().push(bad);
        }
    }
    out
}

/// The spells in which a colo failed often enough.
fn spells<'a>(w: &World, names: &BTreeMap<usize, &'a str>, colo_of: impl Fn(&Fact) -> Option<usize>) -> Vec<Spell<'a>> {
    let mut last: BTreeMap<usize, Spell<'a>> = BTreeMap::new();
    let mut done = Vec::new();
    for f in w.edge.facts.iter().filter(|f| f.edge_status == 520 && f.start_ms != i64::MIN) {
        let Some((number, colo)) = colo_of(f).and_then(|number| Some((number, *names.get(&number)?))) else { continue };
        let (from, to) = (f.start_ms - MARGIN_MS, f.start_ms + MARGIN_MS);
        match last.get_mut(&number) {
            Some(spell) if from - spell.to <= PAUSE_MS => (spell.to, spell.failures) = (to, spell.failures + 1),
            _ => done.extend(last.insert(number, Spell { colo, number, from, to, failures: 1, origins: BTreeMap::new() })),
        }
    }
    done.extend(last.into_values());
    done.retain(|spell| spell.failures >= FAILURES);
    done
}
