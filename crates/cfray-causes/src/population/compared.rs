//! What closed and answered requests of a server are compared by.
//!
//! Both sides come from the edge rows where those hold succeeding requests and edge addresses. A job filtered
//! to failures or without `EdgeServerIP` has the server's own access log instead: closed requests by
//! their tied lines, answered ones by a choice of its lines.

use super::drops::Property;
use super::{Population, answered, server_of_all};
use crate::join::front;
use crate::join::world::{EdgeKind, Ev, World};
use cfray_model::time::{MILLI, SECOND};
use cfray_model::{AnsweredLine, LineKind, key};
use std::collections::BTreeSet;

/// Answers count from this long before the first close until as long after the last, in milliseconds.
const AROUND_MS: i64 = 300_000;

/// Hashes of one request's properties, in the order of [`Property::ALL`]; 0 where not known. And when it was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Values([u64; Property::ALL.len()], Option<Stay>);

/// From when until when the request may have been at the server, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Earliest.
    pub from: i64,
    /// Latest.
    pub to: i64,
}

impl Stay {
    /// The middle.
    pub const fn mid(self) -> i64 {
        self.from + (self.to - self.from) / 2
    }
}

impl Values {
    /// When it was.
    pub const fn stay(&self) -> Option<Stay> {
        self.1
    }

    /// The value of a property.
    pub fn of(&self, property: Property) -> u64 {
        self.0.get(property as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, property: Property, value: u64) {
        if let Some(slot) = self.0.get_mut(property as usize) {
            *slot = value;
        }
    }
}

/// Closed and answered requests of one server.
#[derive(Debug, Default)]
pub struct Compared {
    /// The closed ones, as given.
    pub closes: Vec<Values>,
    /// The answered ones of the same minutes.
    pub oks: Vec<Values>,
    /// Requests that the origin answered with an error of its own, from the edge rows: what is left to compare
    /// edge addresses with where lines show visitors and the job delivers failures only.
    errors: Vec<Values>,
}

impl Compared {
    /// Chooses the source that tells more.
    pub fn of(w: &World, p: &Population, server: usize, closes: &[u32]) -> Self {
        let rows = w.edge_kind != EdgeKind::Filtered && w.edge.tells_edge_address();
        let by_lines = if rows { None } else { Some(lines(w, p, server, closes)).filter(|c| c.oks.len() >= super::drops::FEWEST) };
        by_lines
            .filter(|l| w.edge_kind == EdgeKind::Filtered || l.known(Property::EdgeAddress))
            .unwrap_or_else(|| facts(w, p, server, closes))
    }

    /// What closed requests are compared with by a property.
    pub fn with(&self, property: Property) -> &[Values] {
        if property.is_edge() && !self.errors.is_empty() { &self.errors } else { &self.oks }
    }

    /// Is a property known of most requests on both sides?
    pub fn known(&self, property: Property) -> bool {
        let known = |list: &[Values]| list.iter().filter(|v| v.of(property) != 0).count() * 2 > list.len();
        known(&self.closes) && known(self.with(property))
    }
}

/// From the edge rows.
fn facts(w: &World, p: &Population, server: usize, closes: &[u32]) -> Compared {
    let networks = networks(w);
    let combo = |i: u32| w.edge.combos.get(w.edge.facts.get(i as usize)?.combo as usize);
    let hosts: BTreeSet<&str> = closes.iter().filter_map(|&i| combo(i)).map(|c| c.host.as_str()).collect();
    let servers = server_of_all(w, p);
    let (from, to) = reach(w, closes);
    let here: Vec<bool> =
        w.edge.combos.iter().map(|c| hosts.contains(c.host.as_str()) && servers.get(c.origin_ip.as_str()) == Some(&Some(server))).collect();
    let ok = |f: &cfray_model::Fact| answered(f) && (from..=to).contains(&f.start_ms) && here.get(f.combo as usize) == Some(&true);
    // Every n-th in order of time: a list of all of them would be larger than the facts.
    let every = w.edge.facts.iter().filter(|f| ok(f)).count() / super::drops::ENOUGH + 1;
    let oks = w.edge.facts.iter().enumerate().filter(|(_, f)| ok(f)).step_by(every).map(|(i, _)| i as u32);
    let value = |i: u32| of_fact(w, i, &networks);
    Compared { closes: closes.iter().map(|&i| value(i)).collect(), oks: oks.map(value).collect(), ..Compared::default() }
}

/// Hash of the edge network of each combo.
fn networks(w: &World) -> Vec<u64> {
    w.edge.combos.iter().map(|c| key::network_key(c.edge_ip.as_bytes())).collect()
}

fn of_fact(w: &World, fact: u32, networks: &[u64]) -> Values {
    let mut v = Values::default();
    let Some(f) = w.edge.facts.get(fact as usize) else { return v };
    v.1 = World::life(&f).map(|life| Stay { from: life.lo.div_euclid(MILLI), to: life.hi.div_euclid(MILLI) });
    let keys = w.keys.get(f.combo as usize).copied().unwrap_or_default();
    if keys.edge_ip != 0 {
        v.set(Property::EdgeAddress, keys.edge_ip);
        v.set(Property::EdgeNetwork, networks.get(f.combo as usize).copied().unwrap_or(0));
    }
    v.set(Property::Client, u64::from(f.client));
    v.set(Property::Agent, u64::from(f.agent));
    v.set(Property::Page, u64::from(f.page));
    v.set(Property::Shape, u64::from(f.shape));
    v.set(Property::Host, keys.host);
    v.set(Property::Method, w.edge.combos.get(f.combo as usize).map_or(0, |c| key::bytes_key(c.method.as_bytes())));
    v
}

/// From the server's access log.
fn lines(w: &World, p: &Population, server: usize, closes: &[u32]) -> Compared {
    let networks = networks(w);
    let tied = |fact: u32| -> Option<&Ev> {
        let mine = w.ties.of_fact.get(&fact)?.iter().filter_map(|&e| w.evs.get(e as usize));
        let f = w.edge.facts.get(fact as usize)?;
        let edge = w.keys.get(f.combo as usize).map_or(0, |k| k.edge_ip);
        mine.filter(|ev| ev.e.kind == LineKind::Access && ev.server == server).min_by_key(|ev| front::rank(ev, edge, f.client))
    };
    // Which address stands in the client column?
    let mut edge = 0usize;
    let mut visitors = 0usize;
    for (&fact, ev) in closes.iter().filter_map(|f| Some((f, tied(*f)?))) {
        let Some(f) = w.edge.facts.get(fact as usize) else { continue };
        let keys = w.keys.get(f.combo as usize).copied().unwrap_or_default();
        let visitor = f.client != 0 && ev.e.client as u32 == f.client;
        visitors += usize::from(visitor);
        edge += usize::from(!visitor && ev.e.client != 0 && (keys.edge_ip == 0 || keys.edge_ip == ev.e.client));
    }
    let by_edge = edge > visitors;
    let scans = w.servers.get(server).map_or(&[][..], |s| s.scans.as_slice());
    let (from, to) = reach(w, closes);
    let near = |scan: usize, a: &AnsweredLine| {
        let at = a.time.and_then(|t| w.true_ns(scan, t.civil_ns));
        at.is_none_or(|ns| (from..=to).contains(&ns.div_euclid(MILLI)))
    };
    let answers = scans
        .iter()
        .filter_map(|&i| Some((i, w.scans.get(i)?)))
        .flat_map(|(i, s)| s.answers.iter().filter(move |a| near(i, a)).map(move |a| (i, a)));
    let mut out = Compared::default();
    for (scan, a) in answers {
        let mut v = Values::default();
        // A line tells one moment, mostly to the second.
        let at = a.time.and_then(|t| w.true_ns(scan, t.civil_ns)).map(|ns| ns.div_euclid(MILLI));
        v.1 = at.map(|from| Stay { from, to: from + SECOND / MILLI });
        if by_edge {
            v.set(Property::EdgeAddress, a.client);
            v.set(Property::EdgeNetwork, a.network);
            v.set(Property::Client, a.visitor & 0xFFFF_FFFF);
        } else {
            v.set(Property::Client, a.client & 0xFFFF_FFFF);
        }
        v.set(Property::Agent, a.agent & 0xFFFF);
        v.set(Property::Page, a.path);
        v.set(Property::Shape, u64::from(a.shape));
        v.set(Property::Host, a.host);
        v.set(Property::Method, a.method);
        out.oks.push(v);
    }
    for &fact in closes {
        let mut v = of_fact(w, fact, &networks);
        v.set(Property::Page, 0);
        if let Some(ev) = tied(fact) {
            v.set(Property::Page, key::bytes_key(ev.e.path.as_bytes()));
            v.set(Property::Shape, u64::from(key::shape_key(ev.e.path.as_bytes())));
            if by_edge {
                v.set(Property::EdgeAddress, ev.e.client);
            }
        }
        out.closes.push(v);
    }
    if !by_edge {
        let own_error = |f: &cfray_model::Fact| matches!(f.origin_status, 500..=504) && f.edge_status == f.origin_status;
        let errors = w.edge.facts.iter().enumerate().filter(|(_, f)| own_error(f) && (from..=to).contains(&f.start_ms));
        let servers = server_of_all(w, p);
        let here = |f: &cfray_model::Fact| {
            w.edge.combos.get(f.combo as usize).is_some_and(|c| servers.get(c.origin_ip.as_str()) == Some(&Some(server)))
        };
        out.errors = errors.filter(|(_, f)| here(f)).map(|(i, _)| of_fact(w, i as u32, &networks)).collect();
    }
    out
}

/// Milliseconds since the epoch between which answers count.
fn reach(w: &World, closes: &[u32]) -> (i64, i64) {
    let starts = || closes.iter().filter_map(|&i| w.edge.facts.get(i as usize)).map(|f| f.start_ms).filter(|t| *t != i64::MIN);
    (starts().min().unwrap_or(0) - AROUND_MS, starts().max().unwrap_or(0) + AROUND_MS)
}
