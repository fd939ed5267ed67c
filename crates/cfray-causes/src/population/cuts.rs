//! Requests that one event cut off: they were under way for different times and ended together.
//!
//! A process that dies takes every connection it holds along, however long each request had been waiting. Races, rules and
//! limits end requests one by one, each as long after it was sent as the others.

use super::{Population, has_access_line};
use crate::join::world::{Span, World};
use cfray_model::LineKind;
use cfray_model::time::MILLI;
use std::collections::BTreeMap;

/// The edge sees the end of requests of one moment up to this much apart (other ways back), in milliseconds.
const SAME_MOMENT_MS: i64 = 300;
/// So many requests at least.
const FEWEST: usize = 3;
/// Their waiting times differ by this much at least, in milliseconds.
const SPREAD_MS: i64 = 300;

/// Does an access line tell how the request was answered? nginx's `000` says that it was given up.
fn answered(w: &World, fact: u32) -> bool {
    let given_up = |e: &u32| w.evs.get(*e as usize).is_some_and(|ev| ev.e.kind == LineKind::Access && ev.e.status == Some(0));
    has_access_line(w, fact) && !w.ties.of_fact.get(&fact).is_some_and(|lines| lines.iter().any(given_up))
}

/// One request that left no access line, or one without an answer.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// When the edge saw its end, in milliseconds.
    end_ms: i64,
    /// How long it had been waiting.
    age_ms: i64,
}

/// What was cut off together with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// How many.
    pub count: usize,
    /// The shortest and the longest wait, in milliseconds.
    pub ages_ms: (i64, i64),
}

/// By server, in order of their ends.
#[derive(Debug, Default)]
pub struct Cuts {
    by: BTreeMap<usize, Vec<Cut>>,
}

impl Cuts {
    /// Gathers the requests without an access line of an answer.
    pub fn build(w: &World, p: &Population) -> Self {
        let mut by: BTreeMap<usize, Vec<Cut>> = BTreeMap::new();
        for (row, fact) in w.edge.incidents.iter().zip(&w.incident_fact) {
            if row.edge_status != 520 || fact.is_none_or(|f| answered(w, f)) {
                continue;
            }
            let (Some(server), Some(end), Some(age_ms)) = (p.server_of(w, row), row.end, row.header_ms.or(row.duration_ms)) else {
                continue;
            };
            by.entry(server).or_default().push(Cut { end_ms: end.0.div_euclid(MILLI), age_ms });
        }
        for list in by.values_mut() {
            list.sort_unstable_by_key(|cut| cut.end_ms);
        }
        Self { by }
    }

    /// What ended in the moment in which the edge saw a request's end, if it looks like one event.
    pub fn together(&self, server: usize, end: Span) -> Option<Together> {
        let list = self.by.get(&server)?;
        let at = end.lo.div_euclid(MILLI);
        let reach = SAME_MOMENT_MS.max((end.hi - end.lo).div_euclid(MILLI));
        let between = |from: i64, to: i64| {
            let (a, b) = (list.partition_point(|c| c.end_ms < from), list.partition_point(|c| c.end_ms <= to));
            list.get(a..b).unwrap_or_default()
        };
        let now = between(at - reach, at + reach);
        let width = 2 * reach + 1;
        let around = between(at - reach - width, at - reach - 1).len() + between(at + reach + 1, at + reach + width).len();
        let ages_ms = (now.iter().map(|c| c.age_ms).min()?, now.iter().map(|c| c.age_ms).max()?);
        let one_event = now.len() >= FEWEST && around * 2 <= now.len() && ages_ms.1 - ages_ms.0 >= SPREAD_MS;
        one_event.then_some(Together { count: now.len(), ages_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cuts(of: &[(i64, i64)]) -> Cuts {
        let mut list: Vec<Cut> = of.iter().map(|&(end_ms, age_ms)| Cut { end_ms, age_ms }).collect();
        list.sort_unstable_by_key(|cut| cut.end_ms);
        Cuts { by: BTreeMap::from([(0, list)]) }
    }

    fn at(ms: i64, tick_ms: i64) -> Span {
        Span { lo: ms * MILLI, hi: (ms + tick_ms) * MILLI }
    }

    #[test]
    fn one_event_ends_what_is_under_way() {
        let died = cuts(&[(42_010, 2_474), (42_040, 579), (42_090, 31), (90_000, 20)]);
        assert_eq!(died.together(0, at(42_010, 1)), Some(Together { count: 3, ages_ms: (31, 2_474) }));
        assert_eq!(died.together(0, at(90_000, 1)), None, "alone");
        assert_eq!(died.together(1, at(42_010, 1)), None, "another server");
    }

    #[test]
    fn whole_seconds() {
        let died = cuts(&[(42_000, 2_474), (42_000, 579), (43_000, 31), (48_000, 20)]);
        assert_eq!(died.together(0, at(43_000, 1_000)).map(|t| t.count), Some(3));
    }

    #[test]
    fn what_ends_one_by_one_is_no_event() {
        let at_once = cuts(&[(42_010, 12), (42_040, 15), (42_090, 40), (42_100, 18)]);
        assert_eq!(at_once.together(0, at(42_010, 1)), None, "each a round trip after it was sent");
        let all_the_time: Vec<(i64, i64)> = (0..100).map(|i| (40_000 + i * 150, (i * 37) % 900)).collect();
        assert_eq!(cuts(&all_the_time).together(0, at(45_100, 1)), None, "as many before and after");
    }
}
