//! Did the visitor get through afterwards?

use crate::join::world::{EdgeKind, World};
use crate::population::answered;
use cfray_model::FactFlags;
use std::collections::HashMap;

/// `cleared`, `persisted` or nothing, with seconds to the success.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retry {
    /// The word in the report.
    pub word: &'static str,
    /// Seconds from the failure's end to the success.
    pub after_s: Option<f64>,
}

/// How long after a failure a success still counts as its retry.
const WITHIN_MS: i64 = 600_000;

/// Looks up retries for all incidents.
pub fn retries(w: &World) -> Vec<Retry> {
    if w.edge_kind != EdgeKind::Full {
        return vec![Retry::default(); w.edge.incidents.len()];
    }
    // Same client and URI first, else same host and path.
    let mut wanted: HashMap<(u32, u32), Vec<u32>> = HashMap::new();
    let mut pages: HashMap<u32, Vec<u32>> = HashMap::new();
    for f in w.incident_fact.iter().flatten().filter_map(|&i| w.edge.facts.get(i as usize)) {
        wanted.entry((f.client, f.request)).or_default();
        pages.entry(f.page).or_default();
    }
    for (i, f) in w.edge.facts.iter().enumerate() {
        if !f.flags.has(FactFlags::CONTACTED) && f.edge_status < 500 {
            continue;
        }
        if let Some(list) = wanted.get_mut(&(f.client, f.request)) {
            list.push(i as u32);
        }
        if let Some(list) = pages.get_mut(&f.page) {
            list.push(i as u32);
        }
    }
    w.incident_fact
        .iter()
        .map(|fact| {
            let Some(f) = fact.and_then(|i| w.edge.facts.get(i as usize)) else { return Retry::default() };
            let end = f.start_ms + i64::from(f.dur_ms);
            let own = (f.client != 0 && f.request != 0).then(|| wanted.get(&(f.client, f.request))).flatten();
            let page = (f.page != 0).then(|| pages.get(&f.page)).flatten();
            let mut tried = false;
            for list in [own, page].into_iter().flatten() {
                let from = list.partition_point(|&i| w.edge.facts.get(i as usize).is_some_and(|x| x.start_ms < f.start_ms));
                for x in list.iter().skip(from).filter_map(|&i| w.edge.facts.get(i as usize)) {
                    let later = x.start_ms - end;
                    if x == f || later < 0 {
                        continue;
                    }
                    if later > WITHIN_MS {
                        break;
                    }
                    tried = true;
                    if answered(x) {
                        return Retry { word: "cleared", after_s: Some(later as f64 / 1000.0) };
                    }
                }
            }
            Retry { word: if tried { "persisted" } else { "" }, after_s: None }
        })
        .collect()
}
