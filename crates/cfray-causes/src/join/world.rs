//! One joined world: edge facts, origin events in UTC, who owns what, which server answers for which
//! origin address. Built once; the rules only read it.

use super::answering::{OriginServers, origin_servers};
use super::columns::client_column;
use super::index::{ClientColumn, ComboKeys, FactIndex};
use super::ties::{self, Ties};
use super::trips::RoundTrips;
use crate::clocks::{self, Clocks};
use crate::serverconf::{self, support::ServerPlace};
use crate::settings::Settings;
use crate::trust;
use cfray_model::serverconf::Software;
use cfray_model::time::{LATEST_NS, SECOND};
use cfray_model::{
    EdgeRow, EdgeScan, Fact, FactFlags, IncidentIndex, LineKind, LogTime, OriginEvent, OriginScan, Sig, SourceId, SourceScan, Stack, Text,
};
use foldhash::HashMap;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// Interval of true time in nanoseconds since the epoch, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Earliest.
    pub lo: i64,
    /// Latest.
    pub hi: i64,
}

impl Span {
    /// Middle of the interval.
    pub const fn mid(self) -> i64 {
        self.lo + (self.hi - self.lo) / 2
    }

    /// Do two intervals share a point?
    pub const fn meets(self, other: Self) -> bool {
        self.lo <= other.hi && other.lo <= self.hi
    }

    /// Distance between the intervals, 0 if they meet.
    pub fn distance(self, other: Self) -> i64 {
        (other.lo - self.hi).max(self.lo - other.hi).max(0)
    }
}

/// An origin event in the joined world.
#[derive(Debug)]
pub struct Ev {
    /// The event.
    pub e: Box<OriginEvent>,
    /// Index of its source scan.
    pub scan: usize,
    /// Index into [`World::servers`].
    pub server: usize,
    /// True time, if a clock is known.
    pub utc: Option<Span>,
}

/// A server: sources of one machine.
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// Name as shown.
    pub name: String,
    /// Its source scans.
    pub scans: Vec<usize>,
    /// The web server software in front, if its logs tell.
    pub stack: Option<Stack>,
    /// Facts tied to it by ray or request.
    pub tied: u64,
    /// Has access lines at all.
    pub has_access: bool,
    /// Has an error log of the web server at all.
    pub has_error: bool,
}

/// The joined world.
#[derive(Debug)]
pub struct World {
    /// The edge pass.
    pub edge: EdgeScan,
    /// Hashes of the combos.
    pub keys: Vec<ComboKeys>,
    /// Source scans; their events have moved to `evs`.
    pub scans: Vec<SourceScan>,
    /// Their names.
    names: Vec<Text>,
    /// Clocks of the scans.
    pub clocks: Clocks,
    /// All events, ordered by (server, true time, place).
    pub evs: Vec<Ev>,
    /// Servers, sorted by name.
    pub servers: Vec<Server>,
    /// Who owns what.
    pub ties: Ties,
    /// Which server answers for which OriginIP.
    pub origin_servers: OriginServers,
    /// Events by signature and server, in time order: indexes into `evs`. Each rule asks for several, mostly in vain.
    pub by_sig: HashMap<(usize, Sig), Vec<u32>>,
    /// For each incident the index of its fact, if it has one.
    pub incident_fact: Vec<Option<u32>>,
    /// Round trips colo to origin, from new connections.
    pub trips: RoundTrips,
    /// What kind of edge log this is.
    pub edge_kind: EdgeKind,
    /// What the origin pass was told to keep.
    pub index: IncidentIndex,
    /// An access log carries rays.
    pub any_rays: bool,
    /// Events that may be a client's own words, by scan and line: see [`crate::trust`].
    pub doubted: HashSet<(usize, u64)>,
    /// The user's remarks and options.
    pub settings: Settings,
    /// Which configuration speaks for which server, by software: index into the audit's trees.
    pub conf_of: BTreeMap<(usize, Software), usize>,
}

/// What kind of edge log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// Every request.
    Full,
    /// Only failing requests: the job has a filter.
    Filtered,
    /// A sample of requests.
    Sampled,
    /// No edge rows.
    None,
}

impl EdgeKind {
    /// The word used in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Filtered => "filtered",
            Self::Sampled => "sampled",
            Self::None => "none",
        }
    }
}

/// Years for stamps that have none: nearest to the edge rows.
fn fix_years(scan: &mut SourceScan, middle_ns: i64) {
    if !scan.events.iter().any(|e| e.time().is_some_and(|t| t.yearless)) {
        return;
    }
    let year_start = |year: i64| {
        let y = year - 1;
        (y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) - 719_162) * 86_400 * SECOND
    };
    let middle_year = 1970 + middle_ns.div_euclid(SECOND * 31_556_952);
    let nearest = |civil_ns: i64| {
        // Year 1970 is no leap year: dates from March on move by a day in leap years.
        (middle_year - 1..=middle_year + 1)
            .map(|y| {
                let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
                let shift = if leap && civil_ns >= 59 * 86_400 * SECOND { 86_400 * SECOND } else { 0 };
                civil_ns + year_start(y) + shift
            })
            .min_by_key(|t| (t - middle_ns).abs())
            .unwrap_or(civil_ns)
    };
    for e in &mut scan.events {
        if let Some(t) = e.time().filter(|t| t.yearless) {
            e.time = Some(LogTime { civil_ns: nearest(t.civil_ns), yearless: false, ..t }).into();
        }
    }
    let old = std::mem::take(&mut scan.minutes);
    for (minute, n) in old {
        let ns = minute * 60 * SECOND;
        // Minutes of lines that had a year are left alone.
        let minute = if minute < 366 * 1440 { nearest(ns).div_euclid(60 * SECOND) } else { minute };
        *scan.minutes.entry(minute).or_default() += n;
    }
    for t in [&mut scan.first_ns, &mut scan.last_ns].into_iter().flatten() {
        if *t < 366 * 86_400 * SECOND {
            *t = nearest(*t);
        }
    }
}

impl World {
    /// Joins an edge scan with an origin scan.
    pub fn build(edge: EdgeScan, origin: OriginScan, settings: Settings) -> Self {
        let middle = match (edge.counters.first, edge.counters.last) {
            (Some(a), Some(b)) => a.0 / 2 + b.0 / 2,
            _ => origin.sources.iter().filter_map(|s| s.last_ns).filter(|t| *t > 366 * 86_400 * SECOND).max().unwrap_or(0),
        };
        let mut scans = origin.sources;
        for scan in &mut scans {
            fix_years(scan, middle);
        }
        let keys = combo_keys(&edge, &scans);
        // Passes over all facts, side by side.
        let asked = origin.asked;
        let (index, (incident_fact, (trips, wanted))) = rayon::join(
            || FactIndex::build(&edge.facts, scans.iter().flat_map(|s| &s.events).map(|e| &**e)),
            || {
                let wanted = || asked.map_or_else(|| edge.index(), Arc::unwrap_or_clone);
                rayon::join(|| incident_facts(&edge), || rayon::join(|| RoundTrips::build(&edge), wanted))
            },
        );
        let columns: Vec<ClientColumn> = scans.par_iter().map(|s| client_column(s, &edge.facts, &keys, &index)).collect();
        let clocks =
            clocks::resolve(&scans, &clocks::Rows { facts: &edge.facts, keys: &keys, index: &index, columns: &columns }, &settings);
        let (mut servers, server_of) = servers(&scans);
        let mut evs = Vec::with_capacity(scans.iter().map(|s| s.events.len()).sum());
        for (i, scan) in scans.iter_mut().enumerate() {
            let server = server_of.get(i).copied().unwrap_or(0);
            for e in std::mem::take(&mut scan.events) {
                let utc = e.time().and_then(|t| {
                    let clock = clocks.of(i, t.offset_s.is_some())?;
                    let at = t.stated_ns().saturating_sub(clock.shift_of(e.at.line, t.stated_ns())?).clamp(-LATEST_NS, LATEST_NS);
                    Some(Span { lo: at - clock.error_ns, hi: at + t.precision_ns + clock.error_ns })
                });
                evs.push(Ev { e, scan: i, server, utc });
            }
        }
        evs.sort_by(|a, b| {
            let place = |ev: &Ev| (ev.server, ev.utc.map(|s| s.lo), ev.e.at);
            place(a).cmp(&place(b)).then_with(|| a.e.text().cmp(&b.e.text()))
        });
        let edge_kind = edge_kind(&edge);
        let ties = ties::tie(&evs, &edge.facts, &keys, &index, &columns, edge_kind);
        for (server, _) in ties.certain(&evs) {
            if let Some(server) = servers.get_mut(server) {
                server.tied += 1;
            }
        }
        let origin_servers = origin_servers(&evs, &ties, &edge, &keys);
        let mut by_sig: HashMap<(usize, Sig), Vec<u32>> = HashMap::default();
        let beside = |server: usize| servers.get(server).map_or(&[][..], |s| s.scans.as_slice()).iter().filter_map(|&i| scans.get(i));
        let doubted = trust::all(&evs, &scans, beside);
        for (i, ev) in evs.iter().enumerate() {
            if let Some(hit) = &ev.e.sig
                && !trust::contradicted(&ev.e, beside(ev.server))
            {
                by_sig.entry((ev.server, hit.sig)).or_default().push(i as u32);
            }
            // A line of a connection or request speaks for that one alone.
            if ev.e.details().own != 0 && ev.e.request == 0 && ev.e.ray == 0 && ev.e.cid.get().is_none() {
                for bit in (0u8..64).filter(|bit| ev.e.details().own >> bit & 1 == 1) {
                    by_sig.entry((ev.server, Sig::Own(bit))).or_default().push(i as u32);
                }
            }
        }
        let places: Vec<ServerPlace<'_>> = servers.iter().map(|server| place(server, &scans)).collect();
        let conf_of = serverconf::support::assign(&settings.config, &places);
        let any_rays = scans.iter().any(|s| s.with_ray * 2 > s.kinds.get(&LineKind::Access).copied().unwrap_or(0));
        Self {
            any_rays,
            index: wanted,
            edge,
            keys,
            names: scans.iter().map(|s| s.info.name.as_str().into()).collect(),
            scans,
            clocks,
            evs,
            servers,
            ties,
            origin_servers,
            by_sig,
            incident_fact,
            trips,
            edge_kind,
            doubted,
            settings,
            conf_of,
        }
    }

    /// Events of a server with a signature whose true time meets the interval.
    pub fn near(&self, server: usize, sig: Sig, window: Span) -> impl Iterator<Item = (u32, &Ev)> {
        let list = self.by_sig.get(&(server, sig)).map_or(&[][..], Vec::as_slice);
        // Widest event interval: a few seconds; step back that far before scanning forward.
        let slack = 30 * SECOND;
        let lo_of = |i: &u32| self.evs.get(*i as usize).and_then(|e| e.utc).map_or(i64::MIN, |s| s.lo);
        let from = list.partition_point(|i| lo_of(i) < window.lo.saturating_sub(slack));
        list.iter()
            .skip(from)
            .map(|&i| (i, self.evs.get(i as usize)))
            .take_while(move |(_, ev)| ev.and_then(|e| e.utc).is_none_or(|s| s.lo <= window.hi))
            .filter_map(move |(i, ev)| Some((i, ev.filter(|e| e.utc.is_some_and(|s| s.meets(window)))?)))
    }

    /// Up to 48 events on either side of a moment that meet the window, for signatures that may be frequent.
    pub fn nearest(&self, server: usize, sig: Sig, window: Span, moment: Span) -> impl Iterator<Item = (u32, &Ev)> {
        const EITHER_SIDE: usize = 48;
        let list = self.by_sig.get(&(server, sig)).map_or(&[][..], Vec::as_slice);
        let lo_of = |i: &u32| self.evs.get(*i as usize).and_then(|e| e.utc).map_or(i64::MIN, |s| s.lo);
        let middle = list.partition_point(|i| lo_of(i) < moment.lo);
        let from = middle.saturating_sub(EITHER_SIDE);
        let to = (middle + EITHER_SIDE).min(list.len());
        list.get(from..to)
            .unwrap_or_default()
            .iter()
            .filter_map(move |&i| Some((i, self.evs.get(i as usize).filter(|e| e.utc.is_some_and(|s| s.meets(window)))?)))
    }

    /// Round trip between a row's colo and its origin in milliseconds, where new connections showed it.
    pub fn rtt_of(&self, row: &EdgeRow) -> Option<f64> {
        self.trips.of(row).map(|trip| trip.median_ms)
    }

    /// True time of civil digits of a source, by the clock that speaks for it as a whole.
    pub fn true_ns(&self, scan: usize, civil_ns: i64) -> Option<i64> {
        let (clock, zoned) = self.clocks.main(scan)?;
        let zone_s = if zoned { self.scans.get(scan)?.written_zone_s().unwrap_or(0) } else { 0 };
        let stated = civil_ns.saturating_sub(zone_s * SECOND);
        Some(stated.saturating_sub(clock.shift_near(stated)))
    }

    /// By source how far its stamps are off at least and at most: stated minus true time, in nanoseconds. Sources whose clock is
    /// not known, or stands on one side only, are left out.
    pub fn shifts(&self) -> BTreeMap<SourceId, (i64, i64)> {
        let mut out: BTreeMap<SourceId, Option<(i64, i64)>> = BTreeMap::new();
        for ev in &self.evs {
            out.entry(ev.e.at.source).or_insert(Some((i64::MAX, i64::MIN)));
            let stated = ev.e.time().map(|t| t.stated_ns());
            let range = stated.zip(ev.utc).map(|(stated, utc)| (stated - utc.hi, stated - utc.lo));
            if let Some(slot) = out.get_mut(&ev.e.at.source) {
                *slot = slot.zip(range).map(|(a, b)| (a.0.min(b.0), a.1.max(b.1)));
            }
        }
        out.into_iter().filter_map(|(source, range)| Some((source, range?))).collect()
    }

    /// Was the origin pass looking for this row's line? Logs that carry rays are searched by ray only.
    pub fn wanted(&self, f: &Fact) -> bool {
        let by_ray = f.ray != 0 && self.index.rays.contains(&f.ray);
        by_ray || (!self.any_rays && f.request != 0 && self.index.requests.contains(&f.request))
    }

    /// Name of a source as evidence quotes it.
    pub fn source_text(&self, ev: &Ev) -> Text {
        self.names.get(ev.scan).cloned().unwrap_or_default()
    }

    /// Name of a source as shown to people.
    pub fn source_name(&self, ev: &Ev) -> &str {
        self.scans.get(ev.scan).map_or("", |s| &s.info.name)
    }

    /// The true-time interval in which a fact's request lived.
    pub fn life(f: &Fact) -> Option<Span> {
        Some(Span { lo: f.start()?.0, hi: f.end()?.0.saturating_add(f.precision_ns()) })
    }
}

/// Hashes of the combos; hosts that are logged under another name are left open.
fn combo_keys(edge: &EdgeScan, scans: &[SourceScan]) -> Vec<ComboKeys> {
    let logged: BTreeSet<u64> = scans.iter().flat_map(|s| s.hosts.keys().copied()).filter(|h| *h != 0).collect();
    let mut keys: Vec<ComboKeys> = edge.combos.iter().map(ComboKeys::of).collect();
    for k in &mut keys {
        if !logged.contains(&k.host) {
            k.logged_host = 0;
        }
    }
    keys
}

/// Where a server's logs lie.
fn place<'s>(server: &'s Server, scans: &'s [SourceScan]) -> ServerPlace<'s> {
    let infos = || server.scans.iter().filter_map(|&i| scans.get(i)).map(|s| &s.info);
    ServerPlace {
        name: &server.name,
        logs: infos().map(|i| i.name.as_str()).collect(),
        scopes: infos().map(|i| i.scope.as_str()).collect(),
    }
}

/// Sources of one (scope, server) form a server.
fn servers(scans: &[SourceScan]) -> (Vec<Server>, Vec<usize>) {
    let names: BTreeSet<(&str, &str)> = scans.iter().map(|s| (s.info.scope.as_str(), s.info.server.as_str())).collect();
    let names: Vec<(&str, &str)> = names.into_iter().collect();
    let mut servers: Vec<Server> = names.iter().map(|(_, name)| Server { name: (*name).to_owned(), ..Server::default() }).collect();
    let mut of = Vec::with_capacity(scans.len());
    for (i, s) in scans.iter().enumerate() {
        let at = names.binary_search(&(s.info.scope.as_str(), s.info.server.as_str())).unwrap_or(0);
        of.push(at);
        let Some(server) = servers.get_mut(at) else { continue };
        server.scans.push(i);
        let front = |stack: Stack| matches!(stack, Stack::Nginx | Stack::Apache | Stack::LiteSpeed | Stack::Lighttpd | Stack::HaProxy);
        server.has_access |= s.kinds.contains_key(&LineKind::Access);
        server.has_error |= s.kinds.contains_key(&LineKind::Error) && s.stacks.keys().any(|k| front(*k));
    }
    for server in &mut servers {
        let mut counts: BTreeMap<Stack, u64> = BTreeMap::new();
        // An error log names its software beyond doubt; combined access lines look alike everywhere.
        for s in server.scans.iter().filter_map(|&i| scans.get(i)) {
            let weight = if s.kinds.contains_key(&LineKind::Error) { 1_000_000 } else { 1 };
            for (stack, n) in &s.stacks {
                *counts.entry(*stack).or_default() += n * weight;
            }
        }
        server.stack = [Stack::Nginx, Stack::Apache, Stack::LiteSpeed, Stack::Lighttpd, Stack::HaProxy]
            .into_iter()
            .filter_map(|s| counts.get(&s).map(|n| (*n, s)))
            .max_by_key(|(n, _)| *n)
            .map(|(_, s)| s);
    }
    (servers, of)
}

/// Recognises jobs with a filter or a sample rate.
pub fn edge_kind(edge: &EdgeScan) -> EdgeKind {
    let c = &edge.counters;
    if c.rows == 0 {
        EdgeKind::None
    } else if c.sample_interval > 1 {
        EdgeKind::Sampled
    } else if c.below_500 == 0 {
        EdgeKind::Filtered
    } else {
        EdgeKind::Full
    }
}

/// Facts of the incidents, matched one to one by ray, start and request.
fn incident_facts(edge: &EdgeScan) -> Vec<Option<u32>> {
    let mut keys: Vec<(i64, u64, u32)> = Vec::with_capacity(edge.incidents.len());
    for (f, i) in edge.facts.iter().zip(0u32..).filter(|(f, _)| f.flags.has(FactFlags::INCIDENT)) {
        keys.push((f.start_ms, f.ray, i));
    }
    keys.sort_unstable();
    // Of those with one key, how many are taken: counted where the first of them stands.
    let mut taken = vec![0u32; keys.len()];
    edge.incidents
        .iter()
        .map(|row| {
            let key = (row.start_ms(), row.ray.map_or(0, |r| r.0));
            let first = keys.partition_point(|(start, ray, _)| (*start, *ray) < key);
            keys.get(first).filter(|(start, ray, _)| (*start, *ray) == key)?;
            let taken = taken.get_mut(first)?;
            let (start, ray, fact) = *keys.get(first + *taken as usize)?;
            *taken += 1;
            ((start, ray) == key).then_some(fact)
        })
        .collect()
}
