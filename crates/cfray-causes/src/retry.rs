//! Did the visitor get through afterwards?

use crate::join::world::{EdgeKind, World};
use crate::population::answered;
use cfray_model::FactFlags;
use foldhash::HashMap;

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
    let mut wanted: HashMap<(u32, u32), Vec<u32>> = HashMap::default();
    let mut pages: HashMap<u32, Vec<u32>> = HashMap::default();
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
    let own: HashMap<(u32, u32), Followers> = wanted.into_iter().map(|(k, list)| (k, Followers::new(w, list))).collect();
    let pages: HashMap<u32, Followers> = pages.into_iter().map(|(k, list)| (k, Followers::new(w, list))).collect();
    w.incident_fact
        .iter()
        .map(|fact| {
            let Some(f) = fact.and_then(|i| w.edge.facts.get(i as usize)).filter(|f| f.start_ms != i64::MIN) else {
                return Retry::default();
            };
            let end = f.start_ms + i64::from(f.dur_ms);
            let own = (f.client != 0 && f.request != 0).then(|| own.get(&(f.client, f.request))).flatten();
            let page = (f.page != 0).then(|| pages.get(&f.page)).flatten();
            let tried: Vec<Option<f64>> = [own, page].into_iter().flatten().filter_map(|list| list.after(w, f, end)).collect();
            match tried.iter().flatten().next() {
                Some(after_s) => Retry { word: "cleared", after_s: Some(*after_s) },
                None if tried.is_empty() => Retry::default(),
                None => Retry { word: "persisted", after_s: None },
            }
        })
        .collect()
}

/// Requests of one kind in order of start, each with the position of the next answered one.
struct Followers {
    list: Vec<u32>,
    next_answered: Vec<usize>,
}

impl Followers {
    fn new(w: &World, list: Vec<u32>) -> Self {
        let mut next_answered = vec![usize::MAX; list.len()];
        let mut next = usize::MAX;
        for (at, slot) in next_answered.iter_mut().enumerate().rev() {
            if list.get(at).and_then(|&i| w.edge.facts.get(i as usize)).is_some_and(answered) {
                next = at;
            }
            *slot = next;
        }
        Self { list, next_answered }
    }

    /// `None` when nothing followed in time, else seconds to the first success, if there was one.
    fn after(&self, w: &World, f: &cfray_model::Fact, end: i64) -> Option<Option<f64>> {
        let fact = |at: usize| self.list.get(at).and_then(|&i| w.edge.facts.get(i as usize));
        let mut from = self.list.partition_point(|&i| w.edge.facts.get(i as usize).is_some_and(|x| x.start_ms < end));
        while fact(from).is_some_and(|x| x == f) {
            from += 1;
        }
        fact(from).filter(|x| x.start_ms - end <= WITHIN_MS)?;
        let success = self.next_answered.get(from).and_then(|&at| fact(at)).filter(|x| x.start_ms - end <= WITHIN_MS);
        Some(success.map(|x| (x.start_ms - end) as f64 / 1000.0))
    }
}
