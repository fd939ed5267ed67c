//! Lines that name no request count by contrast: their share near failing requests against their
//! share near succeeding requests of the same server in the same minutes.

use super::{Population, answered, has_access_line};
use crate::contrast::fisher;
use crate::join::world::{Span, World};
use cfray_model::Sig;
use cfray_model::time::{MILLI, SECOND};
use std::collections::BTreeMap;

/// Contrast of one signature on one server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Failing requests (without an access line) with such a line near, and all.
    pub fail_near: u64,
    /// See `fail_near`.
    pub fail_all: u64,
    /// Answered requests with such a line near, and all, in the same minutes.
    pub ok_near: u64,
    /// See `ok_near`.
    pub ok_all: u64,
    /// Mean number of such lines near a failing request.
    pub fail_mean: f64,
    /// Mean number near an answered request.
    pub ok_mean: f64,
    /// How many standard errors the two means are apart.
    pub z: f64,
    /// Lines and failing requests come in pairs: nearly every failure can be given a line of its own, and
    /// there are hardly more lines than failures. Tells something where lines are so frequent that one is
    /// near every request.
    pub paired: bool,
    /// Probability of such shares by chance (Fisher, one-sided); `None` until it was worked out.
    pub chance: Option<f64>,
}

/// Milliseconds before the end of a request in which a cause may be logged already (latency back to the edge).
pub const BEFORE_MS: i64 = 600;
/// Milliseconds after it in which the parent process reports the death of a child.
pub const AFTER_MS: i64 = 2000;

impl Window {
    /// Multiplier for a window tie: 1 when the contrast is proven, low when the shares are equal.
    pub fn weight(&self) -> f64 {
        let share = |a: u64, n: u64| if n == 0 { 0.0 } else { a as f64 / n as f64 };
        let (fail, ok) = (share(self.fail_near, self.fail_all), share(self.ok_near, self.ok_all));
        if self.ok_all == 0 {
            return 0.9;
        }
        if self.fail_all < 5 {
            return if ok <= 0.2 {
                0.97
            } else if ok <= 0.5 {
                0.9
            } else if self.paired {
                0.85
            } else {
                0.55
            };
        }
        let proven = fail > ok && self.chance.unwrap_or_else(|| self.by_chance()) < 0.001;
        if proven && ok <= 0.5 * fail {
            1.0
        } else if proven || self.z > 3.3 {
            0.95
        } else if ok <= 0.3 * fail || self.paired {
            0.9
        } else {
            0.5
        }
    }

    fn by_chance(&self) -> f64 {
        fisher(self.fail_near, self.fail_all, self.ok_near, self.ok_all)
    }

    /// The contrast in a sentence.
    pub fn sentence(&self, what: &str) -> String {
        if self.paired && self.ok_near * 2 > self.ok_all {
            return format!(
                "{what}: about as many such lines as failures without an access line ({}), each at the right moment",
                self.fail_all
            );
        }
        format!(
            "{what} near {} of {} requests that failed without an access line, and near {} of {} answered ones of the same minutes",
            self.fail_near, self.fail_all, self.ok_near, self.ok_all
        )
    }
}

/// Contrasts by server and signature.
#[derive(Debug, Default)]
pub struct Windows {
    by: BTreeMap<(usize, Sig), Window>,
    /// PHP fatals in PHP's or FPM's own log near requests that ended in 444, by server.
    fatals: BTreeMap<usize, Fatals>,
}

/// PHP writes a fatal the moment the request ends; milliseconds of slack for latency.
pub const FATAL_MS: i64 = 400;

/// Signatures that name no request and may explain several.
const PROCESS_WIDE: &[Sig] = &[
    Sig::NginxWorkerSignal,
    Sig::NginxWorkerFatal,
    Sig::NginxStop,
    Sig::NginxReload,
    Sig::WorkerConnections,
    Sig::ReusingConnections,
    Sig::ApacheChildSignal,
    Sig::HaProxyWorkerSignal,
    Sig::ApacheFatal,
    Sig::ApacheMaxWorkers,
    Sig::ApacheStop,
    Sig::ApacheReload,
    Sig::LighttpdStop,
    Sig::LighttpdGraceful,
    Sig::OomKill,
    Sig::KernelFault,
    Sig::UnitKilled,
    Sig::UnitOom,
    Sig::UnitExited,
    Sig::AppExit,
    Sig::AppWorkerTimeout,
    Sig::UnitStop,
    Sig::LiteSpeedThrottle,
    Sig::ApacheClientCert,
    Sig::PeerClientCert,
    Sig::ProxyProtocol,
    Sig::H2Preface,
    Sig::Http2Error,
    Sig::Http2TooLarge,
    Sig::Ban,
    Sig::FirewallBlock,
    Sig::ClientTimedOut,
];

/// Enough answered requests to know a share.
const ENOUGH: usize = 4000;

impl Windows {
    /// Counts for every process-wide signature that occurs.
    pub fn build(w: &World, p: &Population) -> Self {
        let mut fails: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
        for (i, row) in w.edge.incidents.iter().enumerate() {
            let Some(fact) = w.incident_fact.get(i).copied().flatten() else { continue };
            if has_access_line(w, fact) {
                continue;
            }
            let (Some(server), Some(end)) = (p.server_of(w, row), row.end.or(row.start)) else { continue };
            fails.entry(server).or_default().push(Span { lo: end.0, hi: end.0 + row.precision_ns });
        }
        let mut by = BTreeMap::new();
        let servers = super::server_of_all(w, p);
        for (&server, ends) in &fails {
            let first = ends.iter().map(|e| e.lo).min().unwrap_or(0) - 60 * SECOND;
            let last = ends.iter().map(|e| e.hi).max().unwrap_or(0) + 60 * SECOND;
            let mine: Vec<bool> = w.edge.combos.iter().map(|c| servers.get(c.origin_ip.as_str()) == Some(&Some(server))).collect();
            let near = || {
                w.edge.facts.iter().filter(|f| answered(f)).filter_map(|f| {
                    let end = f.end()?.0;
                    let here = mine.get(f.combo as usize) == Some(&true);
                    (here && (first..=last).contains(&end)).then_some(Span { lo: end, hi: end + f.precision_ns() })
                })
            };
            // Counted first, so that no list of all of them is held.
            let oks: Vec<Span> = near().step_by((near().count() / ENOUGH).max(1)).collect();
            for sig in PROCESS_WIDE.iter().copied().chain((0u8..).zip(&w.settings.own).map(|(bit, _)| Sig::Own(bit))) {
                if w.by_sig.contains_key(&(server, sig)) {
                    by.insert((server, sig), window(w, server, sig, ends, &oks));
                }
            }
        }
        Self { by, fatals: fatals(w, p) }
    }

    /// How PHP fatals and unexplained closes match.
    pub fn fatals(&self, server: usize) -> Fatals {
        self.fatals.get(&server).copied().unwrap_or_default()
    }

    /// The contrast of a signature on a server.
    pub fn get(&self, server: usize, sig: Sig) -> Window {
        self.by.get(&(server, sig)).copied().unwrap_or_default()
    }
}

/// Fatals in PHP's own log against requests that ended in 444 without an error line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fatals {
    /// Such closes.
    pub closes: u64,
    /// Closes that a fatal of the same moment can be given to, each fatal once.
    pub matched: u64,
    /// Fatals of the same minutes.
    pub fatals: u64,
    /// Requests of the same minutes that got the valid 500 a fatal leads to.
    pub answered_500: u64,
}

impl Fatals {
    /// Nearly every close has a fatal of its own, and there are hardly more fatals than failures.
    pub fn one_to_one(&self) -> bool {
        self.closes >= 3 && self.matched * 10 >= self.closes * 8 && self.fatals * 10 <= (self.closes + self.answered_500) * 12
    }
}

fn fatals(w: &World, p: &Population) -> BTreeMap<usize, Fatals> {
    let mut closes: BTreeMap<usize, Vec<Span>> = BTreeMap::new();
    for fact in w.incident_fact.iter().flatten() {
        if let (Some(server), Some(f)) = (super::drops::unexplained(w, *fact), w.edge.facts.get(*fact as usize))
            && let Some(end) = f.end()
        {
            closes.entry(server).or_default().push(Span { lo: end.0 - FATAL_MS * MILLI, hi: end.0 + f.precision_ns() + FATAL_MS * MILLI });
        }
    }
    closes.into_iter().map(|(server, ends)| (server, match_fatals(w, p, server, ends))).collect()
}

fn match_fatals(w: &World, p: &Population, server: usize, ends: Vec<Span>) -> Fatals {
    let (from, to) = reach(&ends);
    let unowned = |i: u32| w.ties.owner.get(i as usize).is_none_or(Option::is_none);
    let sigs = [Sig::PhpFatal, Sig::PhpMemory, Sig::PhpTime];
    let moments: Vec<Span> = sigs
        .iter()
        .flat_map(|s| w.near(server, *s, Span { lo: from, hi: to }))
        .filter(|(i, _)| unowned(*i))
        .filter_map(|(_, ev)| ev.utc)
        .collect();
    let (closes, fatals) = (ends.len() as u64, moments.len() as u64);
    let here =
        |f: &cfray_model::Fact| w.edge.combos.get(f.combo as usize).is_some_and(|c| p.server_of_origin(w, &c.origin_ip) == Some(server));
    let fives: Vec<Span> = w
        .edge
        .facts
        .iter()
        .filter(|f| f.edge_status == 500)
        .filter_map(|f| Some((f, f.end().filter(|e| (from..=to).contains(&e.0))?)))
        .filter(|(f, _)| here(f))
        .map(|(f, e)| Span { lo: e.0 - FATAL_MS * MILLI, hi: e.0 + f.precision_ns() + FATAL_MS * MILLI })
        .collect();
    // A valid 500 has a fatal of its own: what those need is not offered to closes.
    let answered_500 = fives.len() as u64;
    let (_, left) = pair_up(fives, moments);
    let (matched, _) = pair_up(ends, left);
    Fatals { closes, matched, fatals, answered_500 }
}

fn reach(spans: &[Span]) -> (i64, i64) {
    (spans.iter().map(|e| e.lo).min().unwrap_or(0), spans.iter().map(|e| e.hi).max().unwrap_or(0))
}

/// How many windows can be given a moment of their own, and the moments left over. Windows are about equally long, so the one that
/// opens first takes the earliest moment that still fits.
fn pair_up(mut windows: Vec<Span>, mut moments: Vec<Span>) -> (u64, Vec<Span>) {
    windows.sort_by_key(|e| e.lo);
    moments.sort_by_key(|m| m.hi);
    let mut next = 0;
    let mut matched = 0;
    let mut left = Vec::new();
    for window in &windows {
        while let Some(m) = moments.get(next).filter(|m| m.hi < window.lo) {
            left.push(*m);
            next += 1;
        }
        if moments.get(next).is_some_and(|m| m.lo <= window.hi) {
            next += 1;
            matched += 1;
        }
    }
    left.extend(moments.get(next..).unwrap_or_default());
    (matched, left)
}

fn window(w: &World, server: usize, sig: Sig, fails: &[Span], oks: &[Span]) -> Window {
    let around = |end: &Span| Span { lo: end.lo - BEFORE_MS * MILLI, hi: end.hi + AFTER_MS * MILLI };
    let windows: Vec<Span> = fails.iter().map(around).collect();
    let (from, to) = reach(&windows);
    let moments: Vec<Span> = w.near(server, sig, Span { lo: from, hi: to }).filter_map(|(_, ev)| ev.utc).collect();
    let few = moments.len() * 10 <= fails.len() * 15;
    let paired = fails.len() >= 3 && few && pair_up(windows, moments).0 * 10 >= fails.len() as u64 * 9;
    let window = compare(fails, oks, |end| w.near(server, sig, around(end)).take(200).count() as f64);
    Window { paired, chance: Some(window.by_chance()), ..window }
}

fn compare(fails: &[Span], oks: &[Span], count: impl Fn(&Span) -> f64) -> Window {
    // A storm's share is known from a few thousand of its requests.
    let step = fails.len() / ENOUGH + 1;
    let fails: Vec<Span> = fails.iter().step_by(step).copied().collect();
    let f: Vec<f64> = fails.iter().map(&count).collect();
    let o: Vec<f64> = oks.iter().map(&count).collect();
    let mean = |v: &[f64]| if v.is_empty() { 0.0 } else { v.iter().sum::<f64>() / v.len() as f64 };
    let (fail_mean, ok_mean) = (mean(&f), mean(&o));
    let variance = o.iter().map(|x| (x - ok_mean) * (x - ok_mean)).sum::<f64>() / (o.len().max(2) - 1) as f64;
    let error = (variance / f.len().max(1) as f64).sqrt().max(1e-6);
    Window {
        fail_near: f.iter().filter(|x| **x > 0.0).count() as u64,
        fail_all: f.len() as u64,
        ok_near: o.iter().filter(|x| **x > 0.0).count() as u64,
        ok_all: o.len() as u64,
        fail_mean,
        ok_mean,
        paired: false,
        chance: None,
        z: if o.is_empty() { 0.0 } else { (fail_mean - ok_mean) / error },
    }
}
