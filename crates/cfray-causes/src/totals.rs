//! How often everybody asked the origin for what failed: the normal share beside each share of failures.

use crate::join::World;
use crate::join::world::EdgeKind;
use cfray_model::key::{addr_key, shape_key};
use cfray_model::report::{Episode, Row};
use cfray_model::{EdgeRow, FactFlags};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Requests to the origin by name. Names that no incident has are not counted, so that it stays small.
#[derive(Debug, Default)]
pub struct Totals {
    /// All of them.
    pub all: u64,
    /// By dimension (`host`, `colo`, `origin_ip`, `method`) and value.
    by: BTreeMap<(&'static str, String), u64>,
    /// By low half of [`addr_key`] of the client.
    clients: BTreeMap<u32, u64>,
    /// By [`shape_key`] of the path.
    shapes: BTreeMap<u16, u64>,
    /// By method, host and [`shape_key`].
    endpoints: BTreeMap<(String, String, u16), u64>,
    /// By host and second, from its first incident to its last.
    seconds: BTreeMap<String, BTreeMap<i64, u32>>,
}

/// Host of a row as combos have it.
fn host(row: &EdgeRow) -> String {
    row.host.as_deref().unwrap_or_default().to_ascii_lowercase()
}

impl Totals {
    /// Adds one world's facts. A job that delivers failures only has no normal share.
    pub fn add(&mut self, w: &World) {
        if !matches!(w.edge_kind, EdgeKind::Full | EdgeKind::Sampled) {
            return;
        }
        let hit = |row: &EdgeRow| row.uri.as_deref().map(|uri| shape_key(uri.as_bytes()));
        let shapes: HashSet<u16> = w.edge.incidents.iter().filter_map(hit).collect();
        let clients: HashSet<u32> =
            w.edge.incidents.iter().filter_map(|r| r.client_ip.as_deref()).map(|ip| addr_key(ip.as_bytes()) as u32).collect();
        let mut spans: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for row in &w.edge.incidents {
            let Some(start) = row.start.map(|s| s.secs()) else { continue };
            let end = row.end.map_or(start, |s| s.secs());
            let span = spans.entry(host(row)).or_insert((start, end));
            *span = (span.0.min(start), span.1.max(end));
        }
        let spans: Vec<Option<(i64, i64)>> = w.edge.combos.iter().map(|c| spans.get(&c.host).copied()).collect();
        let mut by_combo = vec![0u64; w.edge.combos.len()];
        let mut by_shape: HashMap<(u32, u16), u64> = HashMap::new();
        for f in w.edge.facts.iter().filter(|f| !f.flags.has(FactFlags::INTERNAL)) {
            self.all += 1;
            if let Some(n) = by_combo.get_mut(f.combo as usize) {
                *n += 1;
            }
            if shapes.contains(&f.shape) {
                *by_shape.entry((f.combo, f.shape)).or_default() += 1;
            }
            if clients.contains(&f.client) {
                *self.clients.entry(f.client).or_default() += 1;
            }
            let second = f.start_ms.div_euclid(1000);
            if let Some((from, to)) = spans.get(f.combo as usize).copied().flatten()
                && (from..=to).contains(&second)
                && let Some(combo) = w.edge.combos.get(f.combo as usize)
            {
                // The name is copied once a host, not once a row.
                if !self.seconds.contains_key(&combo.host) {
                    self.seconds.insert(combo.host.clone(), BTreeMap::new());
                }
                if let Some(seconds) = self.seconds.get_mut(&combo.host) {
                    *seconds.entry(second).or_default() += 1;
                }
            }
        }
        for (c, n) in w.edge.combos.iter().zip(by_combo) {
            for (dimension, value) in [("host", &c.host), ("colo", &c.colo), ("origin_ip", &c.origin_ip), ("method", &c.method)] {
                if !value.is_empty() {
                    *self.by.entry((dimension, value.clone())).or_default() += n;
                }
            }
        }
        let by_shape: BTreeMap<(u32, u16), u64> = by_shape.into_iter().collect();
        for ((combo, shape), n) in by_shape {
            *self.shapes.entry(shape).or_default() += n;
            if let Some(c) = w.edge.combos.get(combo as usize) {
                *self.endpoints.entry((c.method.clone(), c.host.clone(), shape)).or_default() += n;
            }
        }
    }

    /// Requests with this value; `rows` are the incidents that have it. `None` when not known.
    pub fn of(&self, dimension: &'static str, value: &str, rows: &[&Row]) -> Option<u64> {
        let total = match dimension {
            "client" => self.clients.get(&(addr_key(value.as_bytes()) as u32)).copied(),
            "path" => Some(shapes(rows).iter().filter_map(|s| self.shapes.get(s)).sum()),
            _ => self.by.get(&(dimension, value.to_owned())).copied(),
        };
        total.filter(|total| *total >= rows.len() as u64)
    }

    /// Requests for the endpoint that all of `rows` have in common.
    pub fn endpoint(&self, rows: &[&Row]) -> Option<u64> {
        let first = rows.first()?;
        let method = first.edge.method.as_deref().unwrap_or_default().to_owned();
        let host = host(&first.edge);
        let total: u64 = shapes(rows).iter().filter_map(|s| self.endpoints.get(&(method.clone(), host.clone(), *s))).sum();
        (total >= rows.len() as u64).then_some(total)
    }

    /// Fills [`Episode::requests`].
    pub fn episodes(&self, episodes: &mut [Episode], rows: &[Row]) {
        for e in episodes {
            let (Some(from), Some(to)) = (e.from, e.to) else { continue };
            let hosts: BTreeSet<String> = e.rows.iter().filter_map(|i| rows.get(*i)).map(|r| host(&r.edge)).collect();
            let seconds = hosts.iter().filter_map(|h| self.seconds.get(h));
            let all: u64 = seconds.flat_map(|s| s.range(from.secs()..=to.secs())).map(|(_, n)| u64::from(*n)).sum();
            e.requests = if all >= e.count { all } else { 0 };
        }
    }
}

fn shapes(rows: &[&Row]) -> BTreeSet<u16> {
    rows.iter().filter_map(|r| r.edge.uri.as_deref()).map(|uri| shape_key(uri.as_bytes())).collect()
}
