//! Unexplained closes: the server hung up on purpose and no line says why. What do these requests
//! have in common that answered ones have not?

use super::{Population, answered};
use crate::contrast::{Split, split};
use crate::join::world::World;
use cfray_model::{LineKind, Sig};
use std::collections::{BTreeMap, BTreeSet};

/// Error-log messages that explain why a request ended in 444.
pub const EXPLAINS_CLOSE: &[Sig] = &[
    Sig::ConnectQueueFull,
    Sig::ConnectFailed,
    Sig::UpstreamTimedOut,
    Sig::UpstreamClosed,
    Sig::UpstreamReset,
    Sig::UpstreamNotHttp,
    Sig::UpstreamBigHeader,
    Sig::UpstreamBadHeader,
    Sig::UpstreamNone,
    Sig::PhpFatal,
    Sig::PhpMemory,
    Sig::PhpTime,
    Sig::LimitRequests,
    Sig::LimitConnections,
    Sig::ClientCert,
    Sig::WorkerConnectionsUpstream,
    Sig::FileIo,
    Sig::AllocFailed,
];

/// A property that closes may be a function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// `EdgeServerIP`.
    EdgeAddress,
    /// Its /24 or /48.
    EdgeNetwork,
    /// `ClientIP`.
    Client,
    /// User agent.
    Agent,
    /// Host and path.
    Page,
    /// Kind of path.
    Shape,
    /// Host.
    Host,
    /// Method.
    Method,
}

impl Property {
    const ALL: [Self; 8] =
        [Self::EdgeAddress, Self::EdgeNetwork, Self::Agent, Self::Client, Self::Host, Self::Method, Self::Shape, Self::Page];

    /// For sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdgeAddress => "Cloudflare edge address",
            Self::EdgeNetwork => "Cloudflare edge network",
            Self::Client => "visitor address",
            Self::Agent => "user agent",
            Self::Page => "page",
            Self::Shape => "kind of path",
            Self::Host => "host",
            Self::Method => "method",
        }
    }
}

/// The best explanation of one server's unexplained closes.
#[derive(Clone, Debug)]
pub struct Best {
    /// Which property.
    pub property: Property,
    /// How it splits.
    pub split: Split,
    /// Share of the closed requests whose kind of path others reach.
    pub paths_answered: f64,
}

/// Answered requests that are compared at most.
const ENOUGH: usize = 50_000;

/// By server.
#[derive(Debug, Default)]
pub struct Drops {
    best: BTreeMap<usize, Vec<Best>>,
    values: BTreeMap<u32, [u64; 8]>,
}

impl Drops {
    /// Finds the closes and splits them.
    pub fn build(w: &World, p: &Population) -> Self {
        let mut closes: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        for fact in w.incident_fact.iter().flatten() {
            if let Some(server) = unexplained(w, *fact) {
                closes.entry(server).or_default().push(*fact);
            }
        }
        let networks: Vec<u64> = w.edge.combos.iter().map(|c| network(&c.edge_ip)).collect();
        let mut drops = Self::default();
        for (server, mut list) in closes {
            list.sort_unstable();
            list.dedup();
            let hosts: BTreeSet<&str> = list.iter().filter_map(|&i| combo(w, i)).map(|c| c.host.as_str()).collect();
            let mine: BTreeMap<&str, bool> = w
                .edge
                .combos
                .iter()
                .map(|c| c.origin_ip.as_str())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .map(|o| (o, p.server_of_origin(w, o) == Some(server)))
                .collect();
            let ends: Vec<i64> =
                list.iter().filter_map(|&i| w.edge.facts.get(i as usize)).map(|f| f.start_ms).filter(|t| *t != i64::MIN).collect();
            let (from, to) = (ends.iter().min().copied().unwrap_or(0) - 300_000, ends.iter().max().copied().unwrap_or(0) + 300_000);
            let oks: Vec<u32> = (0..w.edge.facts.len() as u32)
                .filter(|&i| {
                    w.edge.facts.get(i as usize).is_some_and(|f| answered(f) && (from..=to).contains(&f.start_ms))
                        && combo(w, i).is_some_and(|c| hosts.contains(c.host.as_str()) && mine.get(c.origin_ip.as_str()) == Some(&true))
                })
                .collect();
            let shape = |i: &u32| value(w, *i, Property::Shape, &networks);
            let answered_shapes: BTreeSet<u64> = oks.iter().map(shape).collect();
            // Shares are known from a few ten thousand answered requests; every n-th in order of time stays.
            let oks: Vec<u32> = oks.iter().step_by(oks.len() / ENOUGH + 1).copied().collect();
            // Several rules may close at one server: the one that explains most comes first, then what
            // explains most of the rest.
            let mut rest = list.clone();
            let mut found: Vec<Best> = Vec::new();
            while rest.len() >= 5 && found.len() < 4 {
                let splits = Property::ALL.into_iter().map(|property| {
                    let of = |i: &u32| value(w, *i, property, &networks);
                    (property, split(rest.iter().map(of), oks.iter().map(of)))
                });
                let best = splits.filter(|(_, s)| s.is_rule()).max_by(|a, b| a.1.gain.total_cmp(&b.1.gain).then(b.0.cmp(&a.0)));
                let Some((property, split)) = best else { break };
                let inside = |i: &u32| split.blocked.binary_search(&value(w, *i, property, &networks)).is_ok();
                let covered: Vec<u32> = rest.iter().filter(|i| inside(i)).copied().collect();
                let paths = covered.iter().filter(|i| answered_shapes.contains(&shape(i))).count();
                rest.retain(|i| !inside(i));
                found.push(Best { property, split, paths_answered: paths as f64 / covered.len().max(1) as f64 });
            }
            for &i in &list {
                let mut row = [0u64; 8];
                for (slot, property) in row.iter_mut().zip(Property::ALL) {
                    *slot = value(w, i, property, &networks);
                }
                drops.values.insert(i, row);
            }
            drops.best.insert(server, found);
        }
        drops
    }

    /// Splits of a server's closes, best first.
    pub fn of(&self, server: usize) -> &[Best] {
        self.best.get(&server).map_or(&[], Vec::as_slice)
    }

    /// The first split whose blocked values hold this request.
    pub fn explains(&self, server: usize, fact: u32) -> Option<&Best> {
        let row = self.values.get(&fact)?;
        self.of(server).iter().find(|b| {
            let at = Property::ALL.iter().position(|x| *x == b.property).unwrap_or(0);
            row.get(at).is_some_and(|v| b.split.blocked.binary_search(v).is_ok())
        })
    }
}

/// The server, if a fact's access line says that the server hung up and no line says why.
pub fn unexplained(w: &World, fact: u32) -> Option<usize> {
    let lines = w.ties.of_fact.get(&fact)?;
    let evs = || lines.iter().filter_map(|&e| w.evs.get(e as usize));
    if evs().any(|ev| ev.e.sig.as_ref().is_some_and(|h| EXPLAINS_CLOSE.contains(&h.sig))) {
        return None;
    }
    evs()
        .find(|ev| {
            (ev.e.kind == LineKind::Access && ev.e.status == Some(444)) || ev.e.sig.as_ref().is_some_and(|h| h.sig == Sig::ModsecDrop)
        })
        .map(|ev| ev.server)
}

fn combo(w: &World, fact: u32) -> Option<&cfray_model::Combo> {
    w.edge.combos.get(w.edge.facts.get(fact as usize)?.combo as usize)
}

fn value(w: &World, fact: u32, property: Property, networks: &[u64]) -> u64 {
    let Some(f) = w.edge.facts.get(fact as usize) else { return 0 };
    let keys = w.keys.get(f.combo as usize).copied().unwrap_or_default();
    match property {
        Property::EdgeAddress => keys.edge_ip,
        Property::EdgeNetwork => networks.get(f.combo as usize).copied().unwrap_or(0),
        Property::Client => u64::from(f.client),
        Property::Agent => u64::from(f.agent),
        Property::Page => u64::from(f.page),
        Property::Shape => u64::from(f.shape),
        Property::Host => keys.host,
        Property::Method => combo(w, fact).map_or(0, |c| cfray_model::key::bytes_key(c.method.as_bytes())),
    }
}

/// Hash of the /24 or /48 an address lies in.
fn network(addr: &str) -> u64 {
    match addr.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(ip)) => cfray_model::key::bytes_key(&ip.octets()[..3]),
        Ok(std::net::IpAddr::V6(ip)) => cfray_model::key::bytes_key(&ip.octets()[..6]),
        Err(_) => 0,
    }
}
