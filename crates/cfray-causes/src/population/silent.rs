//! Requests that left no line in their origin's logs: what they are like tells whether they lost the race for an idle connection.

use super::gaps::within_round_trip;
use super::windows::{AFTER_MS, BEFORE_MS};
use super::{Population, answered};
use crate::contrast::fisher;
use crate::join::world::{EdgeKind, Span, World};
use cfray_model::time::MILLI;
use cfray_model::{Combo, FactFlags, Sig, key};
use std::collections::BTreeMap;

/// How requests to one origin that left no line in its logs failed, by kind of connection.
///
/// Only a reused connection can lose the race against the end of an idle one, and it loses at once. Whatever
/// else closes without a line (a crash, a stop, a filter) takes new connections in their usual share and
/// lets some requests run for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Silent {
    /// On new connections.
    pub new: u64,
    /// On reused connections, within a round trip.
    pub reused_at_once: u64,
    /// On reused connections, later.
    pub reused_later: u64,
    /// New connections among the requests that the origin answered.
    pub answered_new: u64,
    /// Reused ones among them.
    pub answered_reused: u64,
    /// Mostly one kind of page failed, which is asked for much less often where requests are answered.
    pub one_page: bool,
}

impl Silent {
    /// Failures look as if they had nothing to do with idle connections: whichever request comes next on one loses the race.
    pub fn other_than_idle(&self) -> bool {
        self.one_page || self.on_any_connection()
    }

    fn on_any_connection(&self) -> bool {
        let reused = self.reused_at_once + self.reused_later;
        let all = self.new + reused;
        let answered = self.answered_new + self.answered_reused;
        // What to expect if the connection did not matter.
        let share = if answered >= 20 { self.answered_new as f64 / answered as f64 } else { 0.2 };
        let many_new = self.new >= 2 && self.new as f64 >= 0.4 * share.max(0.05) * all as f64;
        let many_late = self.reused_later >= 2 && self.reused_later * 3 >= reused;
        many_new || many_late
    }
}

/// Ends of processes.
const ENDS: [Sig; 9] = [
    Sig::NginxWorkerSignal,
    Sig::ApacheChildSignal,
    Sig::HaProxyWorkerSignal,
    Sig::OomKill,
    Sig::KernelFault,
    Sig::NginxStop,
    Sig::ApacheStop,
    Sig::LighttpdStop,
    Sig::UnitStop,
];

/// Counts, by origin address.
pub fn silent(w: &World, p: &Population) -> BTreeMap<String, Silent> {
    let mut by: BTreeMap<String, Silent> = BTreeMap::new();
    let mut failed: BTreeMap<&str, Vec<Page>> = BTreeMap::new();
    for (row, fact) in w.edge.incidents.iter().zip(&w.incident_fact) {
        let lined = fact.is_some_and(|f| w.ties.of_fact.contains_key(&f));
        let (Some(origin), Some(reused), false) = (row.origin_ip.as_deref(), row.reused(), lined) else { continue };
        // What a death or a stop of this moment explains is no sign against a race.
        if let (Some(server), Some(end)) = (p.server_of(w, row), row.end.or(row.start)) {
            let moment = Span { lo: end.0 - BEFORE_MS * MILLI, hi: end.0 + row.precision_ns + AFTER_MS * MILLI };
            if ENDS.iter().any(|sig| w.near(server, *sig, moment).next().is_some()) {
                continue;
            }
        }
        let rtt = w.rtt_of(row);
        let at_once = row.header_ms.or(row.duration_ms).is_none_or(|ms| within_round_trip(ms, rtt));
        let n = by.entry(origin.to_owned()).or_default();
        match (reused, at_once) {
            (false, _) => n.new += 1,
            (true, true) => n.reused_at_once += 1,
            (true, false) => n.reused_later += 1,
        }
        if let Some(f) = fact.and_then(|f| w.edge.facts.get(f as usize)) {
            let method = row.method.as_deref().map_or(0, |m| key::bytes_key(m.as_bytes()));
            failed.entry(origin).or_default().push((method, f.shape));
        }
    }
    // A job that delivers failures only has the errors that the origin answered with.
    for f in w.edge.facts.iter().filter(|f| super::spoke_http(f)) {
        let Some(n) = w.edge.combos.get(f.combo as usize).and_then(|c| by.get_mut(&c.origin_ip)) else { continue };
        n.answered_new += u64::from(f.flags.has(FactFlags::NEW));
        n.answered_reused += u64::from(f.flags.has(FactFlags::REUSED));
    }
    let pages: BTreeMap<&str, Failing> = failed.into_iter().filter_map(|(origin, pages)| Some((origin, Failing::of(&pages)?))).collect();
    for (origin, (there, all)) in answers(w, p, &pages) {
        if let (Some(n), Some(failing)) = (by.get_mut(origin), pages.get(origin)) {
            n.one_page = failing.stands_out(there, all);
        }
    }
    by
}

/// Method and kind of path.
type Page = (u64, u16);

/// Fewer failures with one method than this tell nothing.
const FEWEST: u64 = 5;
/// Answered requests that are compared with; of more, their share is.
const ENOUGH: u64 = 50_000;

/// The kind of page on which at least half of one method's failures are.
struct Failing {
    page: Page,
    there: u64,
    all: u64,
}

impl Failing {
    fn of(failed: &[Page]) -> Option<Self> {
        let mut counts: BTreeMap<Page, u64> = BTreeMap::new();
        for page in failed {
            *counts.entry(*page).or_default() += 1;
        }
        let (&page, &there) = counts.iter().max_by_key(|(_, n)| **n)?;
        let all = counts.iter().filter(|((method, _), _)| *method == page.0).map(|(_, n)| n).sum::<u64>();
        (all >= FEWEST && there * 2 >= all).then_some(Self { page, there, all })
    }

    /// Do failures follow the kind of page? Compared with answered requests of the same method: what Cloudflare may repeat it does not
    /// show, so that the pages of its POSTs stand out by themselves.
    fn stands_out(&self, there: u64, all: u64) -> bool {
        let every = all / ENOUGH + 1;
        let (there, all) = (there / every, all / every);
        // At most a quarter of their share.
        let rare = there * self.all * 4 <= self.there * all;
        rare && fisher(self.there, self.all, there, all) < 1e-4
    }
}

/// By origin: answered requests with that method, on that page and all; from the edge rows where those hold any, else from the access
/// logs of its server.
fn answers<'a>(w: &World, p: &Population, pages: &BTreeMap<&'a str, Failing>) -> Vec<(&'a str, (u64, u64))> {
    let names: Vec<&'a str> = pages.keys().copied().collect();
    let failing: Vec<&Failing> = pages.values().collect();
    let mut counts = vec![(0u64, 0u64); names.len()];
    let mut add = |number: usize, shape: u16| {
        if let (Some((there, all)), Some(it)) = (counts.get_mut(number), failing.get(number)) {
            *all += 1;
            *there += u64::from(shape == it.page.1);
        }
    };
    if w.edge_kind == EdgeKind::Filtered {
        for (number, (origin, it)) in pages.iter().enumerate() {
            let scans = p.server_of_origin(w, origin).and_then(|s| w.servers.get(s)).map_or(&[][..], |s| s.scans.as_slice());
            let answers = scans.iter().filter_map(|&i| w.scans.get(i)).flat_map(|s| &s.answers);
            answers.filter(|a| a.method == it.page.0).for_each(|a| add(number, a.shape));
        }
    } else {
        // One walk over the facts, however many origins: combos say whose page a request may be.
        let whose = |c: &Combo| {
            let number = names.binary_search(&c.origin_ip.as_str()).ok()?;
            failing.get(number).filter(|it| it.page.0 == key::bytes_key(c.method.as_bytes())).map(|_| number)
        };
        let of_combo: Vec<Option<usize>> = w.edge.combos.iter().map(whose).collect();
        for f in w.edge.facts.iter().filter(|f| answered(f)) {
            if let Some(number) = of_combo.get(f.combo as usize).copied().flatten() {
                add(number, f.shape);
            }
        }
    }
    names.into_iter().zip(counts).collect()
}
