//! How origin addresses and colos fare: for `wrong-origin` and `edge-incident`.

use super::spoke_http;
use crate::join::coverage::{Coverage, Covered};
use crate::join::world::{Span, World};
use cfray_model::{Fact, FactFlags};
use std::collections::BTreeMap;
use std::ops::Range;

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
    /// Colos that fail several origins while others reach them: (colo) to (origins failing, failures, other colos' answers).
    pub bad_colos: BTreeMap<String, (u64, u64, u64)>,
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

    /// How many requests through an edge address were refused or not taken from a moment on (milliseconds since the epoch).
    pub fn refused_by_edge(&self, edge_ip: &str, from_ms: i64) -> usize {
        self.refused_by_edge.get(edge_ip).map_or(0, |list| list.len() - list.partition_point(|t| *t < from_ms))
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
        let mut asked = 0;
        for n in self.by_host.iter().filter(|((_, o), _)| o == origin).map(|(_, n)| n) {
            if n.spoke > 0 {
                return false;
            }
            asked += n.asked;
        }
        asked >= 3
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
        Self { by_host, bad_colos, refused, refused_by_edge, spoken, cut }
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

/// An incident ends when a colo has not failed for this long, and its first minutes count from here.
const MARGIN_MS: i64 = 2_000;

/// How requests ended: with valid HTTP, in 520.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    spoke: u64,
    failed: u64,
}

/// A colo that failed some requests.
#[derive(Clone, Debug, Default)]
struct Failing {
    /// The facts from its first failure to its last, with some seconds on either side.
    span: Range<usize>,
    /// By origin, what happened in that time: through this colo, through all.
    here: Vec<Ended>,
    all: Vec<Ended>,
}

/// Colos through which at least two origins fail while answering every other colo at that time.
fn bad_colos(w: &World) -> BTreeMap<String, (u64, u64, u64)> {
    fn number<'a>(names: &mut BTreeMap<&'a str, usize>, name: &'a str) -> usize {
        let next = names.len();
        *names.entry(name).or_insert(next)
    }
    let (mut colos, mut origins) = (BTreeMap::new(), BTreeMap::new());
    let places: Vec<(usize, Option<usize>)> = (w.edge.combos.iter())
        .map(|c| (number(&mut colos, &c.colo), (!c.origin_ip.is_empty()).then(|| number(&mut origins, &c.origin_ip))))
        .collect();
    let place = |f: &Fact| places.get(f.combo as usize).copied();
    let mut times: Vec<Option<(i64, i64)>> = vec![None; colos.len()];
    for f in w.edge.facts.iter().filter(|f| f.edge_status == 520 && f.start_ms != i64::MIN) {
        let Some(time) = place(f).and_then(|(colo, _)| times.get_mut(colo)) else { continue };
        let (from, to) = time.unwrap_or((f.start_ms, f.start_ms));
        *time = Some((from.min(f.start_ms), to.max(f.start_ms)));
    }
    let mut failing = vec![Failing::default(); colos.len()];
    let mut marks: Vec<(usize, usize)> = Vec::new();
    let before = |ms: i64| w.edge.facts.partition_point(|f| f.start_ms < ms);
    for ((it, time), number) in failing.iter_mut().zip(times).zip(0..) {
        let Some((from, to)) = time else { continue };
        it.span = before(from - MARGIN_MS)..before(to + MARGIN_MS + 1);
        (it.here, it.all) = (vec![Ended::default(); origins.len()], vec![Ended::default(); origins.len()]);
        marks.extend([(it.span.start, number), (it.span.end, number)]);
    }
    marks.sort_unstable();
    // One walk, however many colos failed: what happened in a span is what had happened at its end, less what had at its beginning.
    let mut so_far = vec![Ended::default(); origins.len()];
    let mut marks = marks.into_iter().peekable();
    let mut settle = |until: usize, so_far: &[Ended], failing: &mut [Failing]| {
        while let Some((_, number)) = marks.next_if(|(at, _)| *at <= until) {
            for (sum, now) in failing.get_mut(number).into_iter().flat_map(|it| &mut it.all).zip(so_far) {
                *sum = Ended { spoke: now.spoke - sum.spoke, failed: now.failed - sum.failed };
            }
        }
    };
    for (i, f) in w.edge.facts.iter().enumerate() {
        settle(i, &so_far, &mut failing);
        let Some((colo, Some(origin))) = place(f) else { continue };
        let here = failing.get_mut(colo).filter(|it| it.span.contains(&i)).and_then(|it| it.here.get_mut(origin));
        for sum in so_far.get_mut(origin).into_iter().chain(here) {
            sum.failed += u64::from(f.edge_status == 520);
            sum.spoke += u64::from(spoke_http(f));
        }
    }
    settle(w.edge.facts.len(), &so_far, &mut failing);
    let mut out = BTreeMap::new();
    for (colo, number) in colos {
        let Some(it) = failing.get(number) else { continue };
        let elsewhere = |all: &Ended, here: &Ended| Ended { spoke: all.spoke - here.spoke, failed: all.failed - here.failed };
        let bad: Vec<(&Ended, Ended)> = (it.here.iter().zip(&it.all))
            .map(|(here, all)| (here, elsewhere(all, here)))
            .filter(|(here, others)| {
                here.failed >= 2 && here.failed >= here.spoke && others.spoke >= 5 && others.failed * 10 <= others.spoke
            })
            .collect();
        let failures: u64 = bad.iter().map(|(here, _)| here.failed).sum();
        if bad.len() >= 2 && failures >= 5 {
            out.insert(colo.to_owned(), (bad.len() as u64, failures, bad.iter().map(|(_, others)| others.spoke).sum()));
        }
    }
    out
}
