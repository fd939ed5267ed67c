//! Did the visitor get through afterwards?

use crate::join::index::Sieve;
use crate::join::world::{EdgeKind, World};
use crate::population::answered;
use cfray_model::{Fact, FactFlags};
use foldhash::HashMap;
use std::cmp::Reverse;
use std::hash::Hash;

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

/// Looks up retries for all incidents: in one walk over the facts from the last to the first, however many there are of one page.
pub fn retries(w: &World) -> Vec<Retry> {
    let mut found = vec![Retry::default(); w.edge.incidents.len()];
    if w.edge_kind != EdgeKind::Full {
        return found;
    }
    let failed = w.incident_fact.iter().enumerate().filter_map(|(at, fact)| Some((at, w.edge.facts.get((*fact)? as usize)?)));
    let mut failed: Vec<Failed> =
        failed.filter(|(_, f)| f.start_ms != i64::MIN).map(|(at, f)| Failed { end: f.start_ms + i64::from(f.dur_ms), at, f }).collect();
    failed.sort_unstable_by_key(|failed| (Reverse(failed.end), failed.at));
    let mut kinds = Kinds::default();
    failed.iter().for_each(|failed| kinds.watch(&failed.f));
    let mut open = failed.iter().peekable();
    let mut settle = |until: i64, kinds: &Kinds| {
        // All that starts at its end or later has been seen.
        while let Some(failed) = open.next_if(|failed| failed.end > until) {
            if let Some(slot) = found.get_mut(failed.at) {
                *slot = kinds.after(failed);
            }
        }
    };
    for f in w.edge.facts.iter().rev() {
        settle(f.start_ms, &kinds);
        if f.flags.has(FactFlags::CONTACTED) || f.edge_status >= 500 {
            kinds.see(f);
        }
    }
    settle(i64::MIN, &kinds);
    found
}

/// What counts as the same request: one of the same client for the same URI, else one for the same host and path.
#[derive(Default)]
struct Kinds {
    own: Watched<(u32, u32)>,
    pages: Watched<u32>,
}

impl Kinds {
    fn watch(&mut self, f: &Fact) {
        if f.client != 0 && f.request != 0 {
            self.own.watch(f.request, (f.client, f.request));
        }
        if f.page != 0 {
            self.pages.watch(f.page, f.page);
        }
    }

    fn see(&mut self, f: &Fact) {
        self.own.see(f.request, (f.client, f.request), f);
        self.pages.see(f.page, f.page, f);
    }

    /// What became of a request whose followers have all been seen, and nothing else.
    fn after(&self, failed: &Failed) -> Retry {
        let Failed { end, f, .. } = failed;
        let next = [self.own.next.get(&(f.client, f.request)), self.pages.next.get(&f.page)];
        let tried: Vec<Option<f64>> = next.into_iter().flatten().filter_map(|next| next.after(f, *end)).collect();
        match tried.iter().flatten().next() {
            Some(after_s) => Retry { word: "cleared", after_s: Some(*after_s) },
            None if tried.is_empty() => Retry::default(),
            None => Retry { word: "persisted", after_s: None },
        }
    }
}

/// What follows, by key; most keys are nobody's, which a part of the key tells.
#[derive(Default)]
struct Watched<K> {
    bits: Sieve,
    next: HashMap<K, Next>,
}

impl<K: Eq + Hash> Watched<K> {
    fn watch(&mut self, part: u32, key: K) {
        self.bits.add(u64::from(part));
        self.next.entry(key).or_default();
    }

    fn see(&mut self, part: u32, key: K, f: &Fact) {
        if self.bits.may_hold(u64::from(part))
            && let Some(next) = self.next.get_mut(&key)
        {
            next.see(f);
        }
    }
}

/// An incident whose retry is looked for.
struct Failed {
    /// Its end in milliseconds since the epoch.
    end: i64,
    /// Its number.
    at: usize,
    f: Fact,
}

/// When the next request of a kind starts, and the next that is answered, in milliseconds since the epoch.
#[derive(Clone, Copy, Default)]
struct Follows {
    any: Option<i64>,
    answered: Option<i64>,
}

/// What follows a moment that moves back in time.
#[derive(Default)]
struct Next {
    head: Option<Fact>,
    /// From the head on.
    all: Follows,
    /// Behind the head and its copies.
    behind: Follows,
}

impl Next {
    fn see(&mut self, f: &Fact) {
        if self.head.as_ref() == Some(f) {
            return;
        }
        self.behind = self.all;
        self.all.any = Some(f.start_ms);
        if answered(f) {
            self.all.answered = Some(f.start_ms);
        }
        self.head = Some(*f);
    }

    /// `None` when nothing followed the request in time, else seconds to the first success, if there was one.
    fn after(&self, f: &Fact, end: i64) -> Option<Option<f64>> {
        // A request that took no time is no retry of itself.
        let follows = if self.head.as_ref() == Some(f) { self.behind } else { self.all };
        follows.any.filter(|start| start - end <= WITHIN_MS)?;
        let success = follows.answered.filter(|start| start - end <= WITHIN_MS);
        Some(success.map(|start| (start - end) as f64 / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What follows, looked up in the list of one kind's requests in order.
    fn looked_up(list: &[Fact], f: &Fact, end: i64) -> Option<Option<f64>> {
        let rest = list.iter().filter(|x| x.start_ms >= end).skip_while(|x| *x == f);
        let in_time = |x: &&Fact| x.start_ms - end <= WITHIN_MS;
        rest.clone().next().filter(in_time)?;
        let success = rest.clone().find(|x| answered(x)).filter(in_time);
        Some(success.map(|x| (x.start_ms - end) as f64 / 1000.0))
    }

    proptest! {
        #[test]
        fn one_walk_finds_what_a_look_up_finds(
            rows in prop::collection::vec((0i64..6, 0u32..3, any::<bool>(), 0u64..2), 1..12),
            far in prop::option::of(WITHIN_MS - 2..WITHIN_MS + 4),
        ) {
            let fact = |(start_ms, dur_ms, failed, ray): (i64, u32, bool, u64)| Fact {
                start_ms,
                dur_ms,
                ray,
                edge_status: if failed { 520 } else { 200 },
                flags: FactFlags(FactFlags::CONTACTED),
                ..Fact::default()
            };
            let far = far.map(|start| fact((start, 0, false, 9)));
            let mut facts: Vec<Fact> = rows.into_iter().map(fact).chain(far).collect();
            facts.sort();
            for f in facts.iter().filter(|f| f.edge_status == 520) {
                let end = f.start_ms + i64::from(f.dur_ms);
                let mut next = Next::default();
                facts.iter().rev().take_while(|x| x.start_ms >= end).for_each(|x| next.see(x));
                prop_assert_eq!(next.after(f, end), looked_up(&facts, f, end));
            }
        }
    }
}
