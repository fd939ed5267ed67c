//! Round trips between colos and origins, from the handshakes of new connections: one handshake takes one round trip.

use cfray_model::{EdgeRow, EdgeScan, FactFlags};
use std::collections::BTreeMap;

/// Handshakes of one colo with one origin that are kept to compare with; as evenly chosen from all as their order allows.
const KEPT: usize = 256;

/// The way from one colo to one origin address and back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundTrip {
    /// Its place among all, in order of colo and origin.
    pub place: usize,
    /// Median in milliseconds.
    pub median_ms: f64,
    /// A choice of the handshakes, in milliseconds, sorted.
    pub sample: Vec<u16>,
}

/// Round trips by colo and origin address.
#[derive(Clone, Debug, Default)]
pub struct RoundTrips {
    by: BTreeMap<String, BTreeMap<String, RoundTrip>>,
}

impl RoundTrips {
    /// Gathers the TCP handshakes of new connections. A colo with a single one is left out.
    pub fn build(edge: &EdgeScan) -> Self {
        let mut by_combo: Vec<Vec<u16>> = vec![Vec::new(); edge.combos.len()];
        for f in &edge.facts {
            if f.flags.has(FactFlags::NEW)
                && f.tcp_ms != u16::MAX
                && f.tcp_ms > 0
                && let Some(list) = by_combo.get_mut(f.combo as usize)
            {
                list.push(f.tcp_ms);
            }
        }
        let mut samples: BTreeMap<(&str, &str), Vec<u16>> = BTreeMap::new();
        for (c, list) in edge.combos.iter().zip(&by_combo).filter(|(_, list)| !list.is_empty()) {
            samples.entry((&c.colo, &c.origin_ip)).or_default().extend(list);
        }
        let mut out = Self::default();
        for (place, ((colo, origin), mut all)) in samples.into_iter().filter(|(_, v)| v.len() >= 2).enumerate() {
            all.sort_unstable();
            let median_ms = f64::from(all.get(all.len() / 2).copied().unwrap_or(0));
            let sample = all.iter().step_by(all.len() / KEPT + 1).copied().collect();
            out.by.entry(colo.to_owned()).or_default().insert(origin.to_owned(), RoundTrip { place, median_ms, sample });
        }
        out
    }

    /// The round trip between a row's colo and its origin.
    pub fn of(&self, row: &EdgeRow) -> Option<&RoundTrip> {
        self.by.get(row.colo.as_deref().unwrap_or_default())?.get(row.origin_ip.as_deref().unwrap_or_default())
    }
}
