//! How origin addresses and colos fare: for `wrong-origin` and `edge-incident`.

use super::spoke_http;
use crate::join::world::World;
use cfray_model::FactFlags;
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
}

/// See the module.
#[derive(Debug, Default)]
pub struct Origins {
    /// By (host, origin address).
    pub by_host: BTreeMap<(String, String), OriginCount>,
    /// Colos that fail several origins while others reach them: (colo) to (origins failing, failures, other colos' answers).
    pub bad_colos: BTreeMap<String, (u64, u64, u64)>,
}

impl Origins {
    /// Counts.
    pub fn build(w: &World) -> Self {
        let mut by_host: BTreeMap<(String, String), OriginCount> = BTreeMap::new();
        let mut by_combo: Vec<OriginCount> = vec![OriginCount::default(); w.edge.combos.len()];
        for (i, f) in w.edge.facts.iter().enumerate() {
            let Some(count) = by_combo.get_mut(f.combo as usize) else { continue };
            if f.flags.has(FactFlags::INTERNAL) {
                continue;
            }
            count.asked += 1;
            count.spoke += u64::from(spoke_http(f));
            count.failed += u64::from(f.edge_status == 520);
            count.tied += u64::from(w.ties.of_fact.contains_key(&(i as u32)));
        }
        // (colo, origin): spoke and failed.
        let mut colos: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        for (c, n) in w.edge.combos.iter().zip(&by_combo) {
            if c.origin_ip.is_empty() {
                continue;
            }
            let slot = by_host.entry((c.host.clone(), c.origin_ip.clone())).or_default();
            slot.asked += n.asked;
            slot.spoke += n.spoke;
            slot.failed += n.failed;
            slot.tied += n.tied;
            let slot = colos.entry((&c.colo, &c.origin_ip)).or_default();
            slot.0 += n.spoke;
            slot.1 += n.failed;
        }
        let names: BTreeSet<&str> = colos.keys().map(|(c, _)| *c).collect();
        let mut bad_colos = BTreeMap::new();
        for colo in names {
            // An origin counts when this colo fails most of it and the other colos hardly any.
            let (mut origins, mut failures, mut others_ok) = (0, 0, 0);
            for ((c, origin), (spoke, failed)) in &colos {
                if *c != colo || *failed < 2 || failed < spoke {
                    continue;
                }
                let (ok, bad) =
                    colos.iter().filter(|((c2, o2), _)| *c2 != colo && o2 == origin).fold((0, 0), |(a, b), (_, n)| (a + n.0, b + n.1));
                if ok >= 5 && bad * 10 <= ok {
                    origins += 1;
                    failures += failed;
                    others_ok += ok;
                }
            }
            if origins >= 2 && failures >= 5 {
                bad_colos.insert(colo.to_owned(), (origins, failures, others_ok));
            }
        }
        Self { by_host, bad_colos }
    }
}
