//! Rules that were not there all the time: an address is banned from a moment on, or everybody is closed on while a site is down.
//!
//! Compared with all answered requests such a rule does not show, since the same visitor or page was answered before and after. So each
//! banned address is compared with what was answered between its ban and its last close, and with what others met meanwhile. Where
//! nobody tells of a ban, a limit on the rate of one address looks the same.

use super::compared::{Stay, Values};
use super::drops::Property;
use crate::contrast::{Split, fisher};
use std::collections::{BTreeMap, BTreeSet};

/// Fewer closes of one value than this tell nothing.
const CLOSES: usize = 5;
/// As many requests of others have to be answered meanwhile.
const OTHERS: u64 = 10;
/// Chance that one value fails so much more than the rest of the same time.
const CHANCE: f64 = 1e-6;

/// Moments of a list by value, and all of them.
struct Moments {
    by: BTreeMap<u64, Vec<i64>>,
    all: Vec<i64>,
}

impl Moments {
    fn of(list: &[&Values], property: Property) -> Self {
        let mut by: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        for v in list {
            if let Some(stay) = v.stay() {
                by.entry(v.of(property)).or_default().push(stay.mid());
            }
        }
        by.values_mut().for_each(|moments| moments.sort_unstable());
        let mut all: Vec<i64> = by.values().flatten().copied().collect();
        all.sort_unstable();
        Self { by, all }
    }

    /// How many of a value, and of all others, lie in a time.
    fn within(&self, value: u64, from: i64, to: i64) -> (u64, u64) {
        let count = |list: &[i64]| list.partition_point(|t| *t <= to).saturating_sub(list.partition_point(|t| *t < from)) as u64;
        let mine = self.by.get(&value).map_or(0, |list| count(list));
        (mine, count(&self.all).saturating_sub(mine))
    }
}

/// A ban takes this long to have its effect, in milliseconds: its action writes a list and reloads.
const TAKES_MS: i64 = 10_000;
/// And is told at most this much later than its first effect.
const LATE_MS: i64 = 2_000;

/// Banned values (with the moments of their bans) that were closed on from the ban on, while others were answered.
pub fn since(closes: &[&Values], oks: &[&Values], property: Property, bans: &BTreeMap<u64, Vec<i64>>) -> Option<Split> {
    let (fails, answers) = (Moments::of(closes, property), Moments::of(oks, property));
    let mut split = Split { fail_all: closes.len() as u64, ..Split::default() };
    let (mut from, mut to) = (i64::MAX, i64::MIN);
    for (&value, moments) in fails.by.iter().filter(|(value, moments)| **value != 0 && moments.len() >= CLOSES) {
        let (Some(&first), Some(&last)) = (moments.first(), moments.last()) else { continue };
        let ban = bans.get(&value).and_then(|list| list.iter().rfind(|ban| **ban <= first + LATE_MS));
        let Some(first) = ban.map(|ban| first.min(ban + TAKES_MS)) else { continue };
        let ((n, failed), (mine, others)) = (fails.within(value, first, last), answers.within(value, first, last));
        // A rule has no exception; what fails now and then, and what fails for all, has.
        if mine * 20 <= n && others >= OTHERS.max(failed) && fisher(n, n + failed, mine, mine + others) < CHANCE {
            split.blocked.push(value);
            split.fail_in += n;
            split.ok_in += mine;
            (from, to) = (from.min(first), to.max(last));
        }
    }
    let (zero, others) = answers.within(0, from, to);
    split.ok_all = zero + others;
    split.share = split.fail_in as f64 / split.fail_all.max(1) as f64;
    (!split.blocked.is_empty()).then_some(split)
}

/// Does it follow who asked, and not what was asked for: several kinds of path, and through an edge address several visitors?
pub fn goes_by_who(covered: &[&Values], property: Property) -> bool {
    const SEVERAL: usize = 3;
    let several = |p: Property| {
        let values: BTreeSet<u64> = covered.iter().map(|v| v.of(p)).collect();
        values.len() >= SEVERAL || values.contains(&0)
    };
    several(Property::Shape) && (property == Property::Client || several(Property::Client))
}

/// A time in which a server closed on every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shut {
    /// First and last close, in milliseconds since the epoch.
    pub from: i64,
    /// See `from`.
    pub to: i64,
    /// Which closes, by their place in the list.
    pub closes: Vec<usize>,
    /// Different kinds of path, visitors and methods among them.
    pub shapes: usize,
    /// See `shapes`.
    pub clients: usize,
    /// Requests answered in an equal time outside.
    pub usual: u64,
}

/// What clocks and ways differ by, in milliseconds: within this of its ends a shut time may hold answers.
const EDGE_MS: i64 = 250;
/// Fewer different kinds of path, or visitors, than this are not everybody.
const KINDS: usize = 4;

/// Times in which every request was closed on and none answered, although before or after many are.
pub fn shut(closes: &[&Values], oks: &[&Values]) -> Vec<Shut> {
    let mut order: Vec<(Stay, usize)> = closes.iter().enumerate().filter_map(|(i, v)| Some((v.stay()?, i))).collect();
    order.sort_by_key(|(s, i)| (s.mid(), *i));
    let mut answers: Vec<Stay> = oks.iter().filter_map(|v| v.stay()).collect();
    answers.sort_by_key(|s| s.mid());
    // Answers whose middle lies in a time and that had not come before it.
    let within = |from: i64, to: i64, after: i64| {
        let at = answers.partition_point(|s| s.mid() < from);
        answers.get(at..).unwrap_or_default().iter().take_while(|s| s.mid() <= to).filter(|s| s.from >= after).count() as u64
    };
    let coarse = |s: &Stay| if s.from % 1_000 == 0 && s.to % 1_000 == 0 { 1_000 } else { EDGE_MS };
    let mut runs: Vec<Vec<(Stay, usize)>> = Vec::new();
    for next in order {
        let follows = runs.last().and_then(|run| run.last()).is_some_and(|(last, _)| {
            let slack = coarse(last).max(coarse(&next.0));
            within(last.mid() + slack, next.0.mid() - slack, last.mid()) == 0
        });
        match runs.last_mut().filter(|_| follows) {
            Some(run) => run.push(next),
            None => runs.push(vec![next]),
        }
    }
    let span = answers.first().zip(answers.last()).map_or(0, |(a, b)| b.mid() - a.mid());
    runs.into_iter()
        .filter_map(|run| {
            let (from, to) = (run.first()?.0.mid(), run.last()?.0.mid());
            let slack = run.iter().map(|(s, _)| coarse(s)).max()?;
            let (lo, hi) = (from + slack, to - slack);
            if hi < lo {
                return None;
            }
            let inside = run.iter().filter(|(s, _)| (lo..=hi).contains(&s.mid())).count() as u64;
            // Whole seconds at both ends count.
            let usual =
                answers.len() as f64 * (hi - lo + if slack > EDGE_MS { slack } else { 0 }) as f64 / (span - (to - from)).max(1) as f64;
            let of = |p: Property| run.iter().filter_map(|(_, i)| Some(closes.get(*i)?.of(p))).collect::<BTreeSet<u64>>().len();
            let (shapes, clients) = (of(Property::Shape), of(Property::Client));
            let everybody = shapes >= KINDS && clients >= KINDS && of(Property::Host) > 0;
            let alone = within(lo, hi, from) * 20 <= inside;
            (inside >= CLOSES as u64 && usual >= CLOSES as f64 && everybody && alone).then(|| Shut {
                from,
                to,
                closes: run.iter().map(|(_, i)| *i).collect(),
                shapes,
                clients,
                usual: usual as u64,
            })
        })
        .collect()
}
