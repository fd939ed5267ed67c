//! How often everybody asked the origin for what failed: the normal share beside each share of failures.

use crate::brief::Name;
use crate::gathered::Briefs;
use crate::join::index::Sieve;
use crate::join::world::{EdgeKind, edge_kind};
use cfray_model::key::addr_key;
use cfray_model::report::Episode;
use cfray_model::{EdgeScan, FactFlags};
use foldhash::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

/// Requests to the origin by name. Names that no incident has are not counted, so that it stays small.
#[derive(Debug, Default)]
pub struct Totals {
    /// All of them.
    pub all: u64,
    /// By dimension (`host`, `colo`, `origin_ip`, `method`) and value.
    by: BTreeMap<(&'static str, String), u64>,
    /// By low half of [`addr_key`] of the client.
    clients: BTreeMap<u32, u64>,
    /// By [`cfray_model::key::shape_key`] of the path.
    shapes: BTreeMap<u16, u64>,
    /// By method, host and [`cfray_model::key::shape_key`].
    endpoints: BTreeMap<(String, String, u16), u64>,
    /// By host and second, from its first incident to its last.
    seconds: BTreeMap<String, BTreeMap<i64, u32>>,
}

/// Requests to one host by second, as they come in order of time.
#[derive(Default)]
struct Seconds {
    /// The seconds that count, both included.
    from: i64,
    to: i64,
    /// Each second that has some; the same one may come twice.
    counts: Vec<(i64, u32)>,
}

impl Seconds {
    fn add(&mut self, second: i64) {
        match self.counts.last_mut() {
            Some((last, n)) if *last == second => *n += 1,
            _ if (self.from..=self.to).contains(&second) => self.counts.push((second, 1)),
            _ => {}
        }
    }
}

/// A map's entries in order.
fn sorted<K: Ord, V: Ord>(map: HashMap<K, V>) -> Vec<(K, V)> {
    let mut list: Vec<(K, V)> = map.into_iter().collect();
    list.sort_unstable();
    list
}

impl Totals {
    /// Adds one scan's facts. A job that delivers failures only has no normal share.
    pub fn add(&mut self, edge: &EdgeScan) {
        if !matches!(edge_kind(edge), EdgeKind::Full | EdgeKind::Sampled) {
            return;
        }
        let (mut shapes, mut clients) = (vec![false; 1 << 16], HashSet::default());
        let mut of_clients = Sieve::default();
        let mut spans: Vec<Option<(i64, i64)>> = vec![None; edge.combos.len()];
        for f in edge.facts.iter().filter(|f| f.flags.has(FactFlags::INCIDENT)) {
            if let Some(wanted) = shapes.get_mut(usize::from(f.shape)) {
                *wanted = true;
            }
            if clients.insert(f.client) {
                of_clients.add(u64::from(f.client));
            }
            let (Some(start), Some(end), Some(span)) = (f.start(), f.end(), spans.get_mut(f.combo as usize)) else { continue };
            let (from, to) = span.unwrap_or((start.secs(), end.secs()));
            *span = Some((from.min(start.secs()), to.max(end.secs())));
        }
        // Of a host, whatever else its rows differ in.
        let mut hosts: BTreeMap<&str, Seconds> = BTreeMap::new();
        for (combo, (from, to)) in edge.combos.iter().zip(&spans).filter_map(|(combo, span)| Some((combo, (*span)?))) {
            let host = hosts.entry(&combo.host).or_insert(Seconds { from, to, ..Seconds::default() });
            (host.from, host.to) = (host.from.min(from), host.to.max(to));
        }
        let (names, mut hosts): (Vec<&str>, Vec<Seconds>) = hosts.into_iter().unzip();
        let host_of: Vec<Option<usize>> = edge.combos.iter().map(|c| names.binary_search(&c.host.as_str()).ok()).collect();
        let mut by_combo = vec![0u64; edge.combos.len()];
        let mut by_shape: HashMap<(u32, u16), u64> = HashMap::default();
        let mut by_client: HashMap<u32, u64> = HashMap::default();
        for f in edge.facts.iter().filter(|f| !f.flags.has(FactFlags::INTERNAL)) {
            self.all += 1;
            if let Some(n) = by_combo.get_mut(f.combo as usize) {
                *n += 1;
            }
            if shapes.get(usize::from(f.shape)) == Some(&true) {
                *by_shape.entry((f.combo, f.shape)).or_default() += 1;
            }
            if of_clients.may_hold(u64::from(f.client)) && clients.contains(&f.client) {
                *by_client.entry(f.client).or_default() += 1;
            }
            if let Some(host) = host_of.get(f.combo as usize).copied().flatten().and_then(|host| hosts.get_mut(host)) {
                host.add(f.start_ms.div_euclid(1000));
            }
        }
        for (client, n) in sorted(by_client) {
            *self.clients.entry(client).or_default() += n;
        }
        for (name, host) in names.into_iter().zip(hosts) {
            let seconds = self.seconds.entry(name.to_owned()).or_default();
            for (second, n) in host.counts {
                *seconds.entry(second).or_default() += n;
            }
        }
        for (c, n) in edge.combos.iter().zip(by_combo) {
            for (dimension, value) in [("host", &c.host), ("colo", &c.colo), ("origin_ip", &c.origin_ip), ("method", &c.method)] {
                if !value.is_empty() {
                    *self.by.entry((dimension, value.clone())).or_default() += n;
                }
            }
        }
        for ((combo, shape), n) in sorted(by_shape) {
            *self.shapes.entry(shape).or_default() += n;
            if let Some(c) = edge.combos.get(combo as usize) {
                *self.endpoints.entry((c.method.clone(), c.host.clone(), shape)).or_default() += n;
            }
        }
    }

    /// Requests with this value, which `count` incidents have, with paths of these shapes. `None` when not known.
    pub fn of(&self, dimension: &'static str, value: &str, count: u64, shapes: &BTreeSet<u16>) -> Option<u64> {
        let total = match dimension {
            "client" => self.clients.get(&(addr_key(value.as_bytes()) as u32)).copied(),
            "path" => Some(shapes.iter().filter_map(|s| self.shapes.get(s)).sum()),
            _ => self.by.get(&(dimension, value.to_owned())).copied(),
        };
        total.filter(|total| *total >= count)
    }

    /// Requests for an endpoint, which `count` incidents asked for.
    pub fn endpoint(&self, method: &str, site: &str, count: u64, shapes: &BTreeSet<u16>) -> Option<u64> {
        let key = |shape: u16| (method.to_owned(), site.to_owned(), shape);
        let total: u64 = shapes.iter().filter_map(|s| self.endpoints.get(&key(*s))).sum();
        (total >= count).then_some(total)
    }

    /// Fills [`Episode::requests`].
    pub fn episodes(&self, episodes: &mut [Episode], rows: &Briefs) {
        for e in episodes {
            let (Some(from), Some(to)) = (e.from, e.to) else { continue };
            let sites: BTreeSet<Name> = e.rows.iter().filter_map(|i| rows.list.get(*i)).map(|r| r.site).collect();
            let seconds = sites.iter().filter_map(|site| self.seconds.get(rows.names.text(*site)));
            let all: u64 = seconds.flat_map(|s| s.range(from.secs()..=to.secs())).map(|(_, n)| u64::from(*n)).sum();
            e.requests = if all >= e.count { all } else { 0 };
        }
    }
}
