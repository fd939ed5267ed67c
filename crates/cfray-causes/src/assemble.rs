//! Verdicts in, the report value out.

use crate::brief::{Brief, NONE, Name, top};
use crate::gathered::Briefs;
use crate::join::world::EdgeKind;
use crate::totals::Totals;
use crate::{chart, headline, registry};
use cfray_model::report::{Breakdown, CauseSummary, Impact, Report, Share};
use cfray_model::time::SECOND;
use cfray_model::{Cause, EdgeCounters, Tie};
use foldhash::{HashMap, HashSet};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

/// Adds counters of another world.
pub fn add_counters(a: &mut EdgeCounters, b: &EdgeCounters) {
    a.rows += b.rows;
    a.duplicates += b.duplicates;
    a.rejected += b.rejected;
    a.below_500 += b.below_500;
    a.width = a.width.max(b.width);
    a.sample_interval = a.sample_interval.max(b.sample_interval);
    a.precision_ns = match (a.precision_ns, b.precision_ns) {
        (0, x) | (x, 0) => x,
        (x, y) => x.min(y),
    };
    a.first = [a.first, b.first].into_iter().flatten().min();
    a.last = [a.last, b.last].into_iter().flatten().max();
    for (k, n) in &b.by_status {
        *a.by_status.entry(*k).or_default() += n;
    }
    for (k, n) in &b.by_source {
        *a.by_source.entry(k.clone()).or_default() += n;
    }
    a.traffic.merge(&b.traffic);
    for (k, n) in &b.fields {
        *a.fields.entry(k.clone()).or_default() += n;
    }
}

/// Fills what is computed from counted rows, episodes and counters alone.
pub fn finish(report: &mut Report, rows: &Briefs, kinds: &[EdgeKind], totals: &Totals) {
    let e = &mut report.edge;
    e.kind = match kinds {
        [] => EdgeKind::None.name().to_owned(),
        [one] => one.name().to_owned(),
        many => many.iter().max_by_key(|k| matches!(k, EdgeKind::Full) as u8).map_or("none", |k| k.name()).to_owned(),
    };
    e.incidents = rows.list.len() as u64;
    let mut ties: BTreeMap<Tie, u64> = BTreeMap::new();
    for r in &rows.list {
        *ties.entry(r.tie).or_default() += 1;
    }
    e.ties = ties.iter().rev().map(|(t, n)| (t.name().to_owned(), *n)).collect();
    e.origin_requests = totals.all;
    e.neighbours = e.counters.by_status.iter().filter_map(|(s, n)| Some((*s, Cause::of_status(*s)?, *n))).collect();
    let counters = &report.edge.counters;
    ((report.endpoints, report.breakdowns), ((report.causes, report.impact), report.timeline)) = rayon::join(
        || rayon::join(|| endpoints(rows, totals), || breakdowns(rows, totals)),
        || {
            let causes_and_impact = || (causes(&rows.list), impact(rows, counters.precision_ns));
            rayon::join(causes_and_impact, || chart::timeline(&rows.list, counters))
        },
    );
    report.headline = headline::headline(&report.meta, &report.edge, &report.causes, &report.episodes, rows);
}

fn causes(rows: &[Brief]) -> Vec<CauseSummary> {
    let mut by: BTreeMap<u16, (u64, f64)> = BTreeMap::new();
    for r in rows {
        let slot = by.entry(r.cause_number()).or_default();
        slot.0 += 1;
        slot.1 += r.confidence;
    }
    let mut out: Vec<CauseSummary> = by
        .into_iter()
        .filter_map(|(number, (count, sum))| {
            let cause = Cause::from_number(number);
            let doc = registry::doc(cause)?;
            let confidence = sum / count as f64;
            Some(CauseSummary {
                cause,
                count,
                confidence,
                says: doc.says.to_owned(),
                fix_owner: doc.fix.owner.to_owned(),
                fix_admin: doc.fix.admin.to_owned(),
                fix_developer: doc.fix.developer.to_owned(),
                fix_client: doc.fix.client.to_owned(),
                check: if confidence < 0.7 || cause == Cause::Unknown { check_for(cause, rows) } else { String::new() },
            })
        })
        .collect();
    out.sort_by_key(|c| (std::cmp::Reverse(c.count), c.cause));
    out
}

/// The check that splits the two likeliest causes: for `unknown` that of the commonest best guess.
fn check_for(cause: Cause, rows: &[Brief]) -> String {
    let mut guesses: BTreeMap<Cause, u64> = BTreeMap::new();
    for guess in rows.iter().filter(|r| r.cause() == cause).filter_map(Brief::runner_up) {
        *guesses.entry(guess).or_default() += 1;
    }
    let guess = most(&guesses);
    let subject = if cause == Cause::Unknown { guess.unwrap_or(cause) } else { cause };
    registry::doc(subject).map(|d| d.check.to_owned()).unwrap_or_default()
}

fn most(causes: &BTreeMap<Cause, u64>) -> Option<Cause> {
    causes.iter().max_by_key(|(c, n)| (**n, std::cmp::Reverse(**c))).map(|(c, _)| *c)
}

fn endpoints(rows: &Briefs, totals: &Totals) -> Vec<Share> {
    let names = &rows.names;
    let known = |name: Name| names.get(name).unwrap_or("?");
    let key = |r: &Brief| Some((r.method, r.host, r.path));
    let name = |(method, host, path): (Name, Name, Name)| format!("{} {}{}", known(method), known(host), names.text(path));
    shares(&rows.list, key, name, |(method, ..), first, count, shapes| {
        totals.endpoint(names.text(method), names.text(first.site), count, shapes)
    })
}

fn breakdowns(rows: &Briefs, totals: &Totals) -> Vec<Breakdown> {
    type Get = fn(&Brief) -> Name;
    let dimensions: [(&'static str, Get); 6] = [
        ("host", |r| r.site),
        ("path", |r| r.path),
        ("colo", |r| r.colo),
        ("origin_ip", |r| r.origin),
        ("method", |r| r.method),
        ("client", |r| r.client),
    ];
    let names = &rows.names;
    dimensions
        .into_par_iter()
        .filter_map(|(dimension, get)| {
            let key = |r: &Brief| Some(get(r)).filter(|name| !names.text(*name).is_empty());
            let total = |name: Name, _: &Brief, count, shapes: &BTreeSet<u16>| totals.of(dimension, names.text(name), count, shapes);
            let values = shares(&rows.list, key, |name| names.text(name).to_owned(), total);
            (!values.is_empty()).then(|| Breakdown { dimension: dimension.to_owned(), values })
        })
        .collect()
}

/// Most values of a list of shares.
const VALUES: usize = 12;

/// The most frequent values with the number of all requests that have them: `total` is told the value, a row that has it, how many
/// do, and the shapes of their paths.
fn shares<K: Copy + Eq + Hash>(
    rows: &[Brief],
    key: impl Fn(&Brief) -> Option<K>,
    name: impl Fn(K) -> String,
    total: impl Fn(K, &Brief, u64, &BTreeSet<u16>) -> Option<u64>,
) -> Vec<Share> {
    let mut counts: HashMap<K, u64> = HashMap::default();
    for key in rows.iter().filter_map(&key) {
        *counts.entry(key).or_default() += 1;
    }
    // Names only of those that may be among the first.
    let mut sizes: Vec<u64> = counts.values().copied().collect();
    sizes.sort_unstable_by_key(|n| std::cmp::Reverse(*n));
    let least = sizes.get(VALUES - 1).copied().unwrap_or(0);
    let mut values: Vec<(String, K, u64)> = counts.into_iter().filter(|(_, n)| *n >= least).map(|(key, n)| (name(key), key, n)).collect();
    values.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    values.truncate(VALUES);
    let slots: HashMap<K, usize> = values.iter().map(|(_, key, _)| *key).zip(0..).collect();
    let mut found: Vec<Members> = vec![Members::default(); values.len()];
    for (row, slot) in rows.iter().filter_map(|r| Some((r, *slots.get(&key(r)?)?))) {
        let Some(members) = found.get_mut(slot) else { continue };
        members.first.get_or_insert(*row);
        *members.causes.entry(row.cause()).or_default() += 1;
        if row.path != NONE {
            members.shapes.insert(row.shape);
        }
    }
    let share = |((name, key, count), members): ((String, K, u64), Members)| Share {
        total: members.first.and_then(|first| total(key, &first, count, &members.shapes)),
        cause: most(&members.causes),
        name,
        count,
    };
    values.into_iter().zip(found).map(share).collect()
}

/// The rows that have a value.
#[derive(Clone, Default)]
struct Members {
    first: Option<Brief>,
    causes: BTreeMap<Cause, u64>,
    /// Of their paths.
    shapes: BTreeSet<u16>,
}

fn impact(rows: &Briefs, tick_ns: i64) -> Impact {
    let Briefs { list, names } = rows;
    let clients: HashSet<Name> = list.iter().map(|r| r.client).filter(|client| *client != NONE).collect();
    let mut cleared: Vec<f64> = list.iter().filter(|r| r.cleared && !r.after_s.is_nan()).map(|r| r.after_s).collect();
    cleared.sort_by(f64::total_cmp);
    let within = |s: f64| cleared.partition_point(|after| *after <= s) as u64;
    let writes = |r: &&Brief| names.get(r.method).is_some_and(|m| !matches!(m, "GET" | "HEAD" | "OPTIONS"));
    Impact {
        clients: clients.len() as u64,
        writes: list.iter().filter(writes).count() as u64,
        cleared: cleared.len() as u64,
        persisted: list.iter().filter(|r| r.persisted).count() as u64,
        // Two stamps of one second are up to a second apart.
        median_clear_s: cleared.get(cleared.len() / 2).map(|s| if tick_ns >= SECOND { s.max(tick_ns as f64 / SECOND as f64) } else { *s }),
        clear_90_s: cleared.get((cleared.len() * 9).div_ceil(10).saturating_sub(1)).copied(),
        backoff_saves: within(31.0),
        // Each retry waits twice as long as the one before: 1, 2, 4, 8, 16 s.
        backoff_steps: [1.0, 3.0, 7.0, 15.0, 31.0].map(within),
        methods: top(list.iter().map(|r| r.method), names, 6),
    }
}
