//! Verdicts in, the report value out.

use crate::join::world::EdgeKind;
use crate::totals::Totals;
use crate::{chart, headline, registry};
use cfray_model::key::path_shape;
use cfray_model::report::{Breakdown, CauseSummary, Impact, Report, Row, Share};
use cfray_model::time::SECOND;
use cfray_model::{Cause, EdgeCounters, Tie};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

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

/// Fills what is computed from rows, episodes and counters alone.
pub fn finish(report: &mut Report, kinds: &[EdgeKind], totals: &Totals) {
    let counted: Vec<&Row> = report.rows.iter().filter(|r| r.counted).collect();
    let e = &mut report.edge;
    e.kind = match kinds {
        [] => EdgeKind::None.name().to_owned(),
        [one] => one.name().to_owned(),
        many => many.iter().max_by_key(|k| matches!(k, EdgeKind::Full) as u8).map_or("none", |k| k.name()).to_owned(),
    };
    e.incidents = counted.len() as u64;
    e.uncounted = (report.rows.len() - counted.len()) as u64;
    let mut ties: BTreeMap<Tie, u64> = BTreeMap::new();
    for r in &counted {
        *ties.entry(r.verdict.tie).or_default() += 1;
    }
    e.ties = ties.iter().rev().map(|(t, n)| (t.name().to_owned(), *n)).collect();
    e.origin_requests = totals.all;
    e.neighbours = e.counters.by_status.iter().filter_map(|(s, n)| Some((*s, Cause::of_status(*s)?, *n))).collect();
    let counters = &report.edge.counters;
    ((report.endpoints, report.breakdowns), ((report.causes, report.impact), report.timeline)) = rayon::join(
        || rayon::join(|| endpoints(&counted, totals), || breakdowns(&counted, totals)),
        || {
            let causes_and_impact = || (causes(&counted), impact(&counted, counters.precision_ns));
            rayon::join(causes_and_impact, || chart::timeline(&counted, counters))
        },
    );
    report.headline = headline::headline(&report.meta, &report.edge, &report.causes, &report.episodes, &counted);
}

fn causes(rows: &[&Row]) -> Vec<CauseSummary> {
    let mut by: BTreeMap<Cause, (u64, f64)> = BTreeMap::new();
    for r in rows {
        let slot = by.entry(r.verdict.cause).or_default();
        slot.0 += 1;
        slot.1 += r.verdict.confidence;
    }
    let mut out: Vec<CauseSummary> = by
        .into_iter()
        .filter_map(|(cause, (count, sum))| {
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
fn check_for(cause: Cause, rows: &[&Row]) -> String {
    let mut guesses: BTreeMap<Cause, u64> = BTreeMap::new();
    for r in rows.iter().filter(|r| r.verdict.cause == cause) {
        if let Some((c, _)) = r.verdict.runner_up {
            *guesses.entry(c).or_default() += 1;
        }
    }
    let guess = guesses.into_iter().max_by_key(|(c, n)| (*n, std::cmp::Reverse(*c))).map(|(c, _)| c);
    let subject = if cause == Cause::Unknown { guess.unwrap_or(cause) } else { cause };
    registry::doc(subject).map(|d| d.check.to_owned()).unwrap_or_default()
}

fn most(causes: &BTreeMap<Cause, u64>) -> Option<Cause> {
    causes.iter().max_by_key(|(c, n)| (**n, std::cmp::Reverse(**c))).map(|(c, _)| *c)
}

fn endpoints(rows: &[&Row], totals: &Totals) -> Vec<Share> {
    shares(rows, endpoint_of, |_, members| totals.endpoint(members))
}

fn endpoint_of(r: &Row) -> Option<Cow<'_, str>> {
    let (method, host) = (r.edge.method.as_deref().unwrap_or("?"), r.edge.host.as_deref().unwrap_or("?"));
    Some(format!("{method} {host}{}", path_shape(r.edge.uri.as_deref().unwrap_or("?"))).into())
}

fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

fn breakdowns(rows: &[&Row], totals: &Totals) -> Vec<Breakdown> {
    type Get = for<'r> fn(&'r Row) -> Option<Cow<'r, str>>;
    let dimensions: [(&'static str, Get); 6] = [
        ("host", |r| r.edge.host.as_deref().map(lower)),
        ("path", |r| r.edge.uri.as_deref().map(|uri| path_shape(uri).into())),
        ("colo", |r| r.edge.colo.as_deref().map(Cow::from)),
        ("origin_ip", |r| r.edge.origin_ip.as_deref().map(Cow::from)),
        ("method", |r| r.edge.method.as_deref().map(Cow::from)),
        ("client", |r| r.edge.client_ip.as_deref().map(Cow::from)),
    ];
    dimensions
        .into_par_iter()
        .filter_map(|(dimension, get)| {
            let values = shares(rows, get, |name, members| totals.of(dimension, name, members));
            (!values.is_empty()).then(|| Breakdown { dimension: dimension.to_owned(), values })
        })
        .collect()
}

/// Most values of a list of shares.
const VALUES: usize = 12;

/// The most frequent values with the number of all requests that have them.
fn shares(
    rows: &[&Row],
    get: impl for<'r> Fn(&'r Row) -> Option<Cow<'r, str>>,
    total: impl Fn(&str, &[&Row]) -> Option<u64>,
) -> Vec<Share> {
    let mut by: HashMap<Cow<'_, str>, Vec<&Row>> = HashMap::new();
    for r in rows {
        if let Some(value) = get(r).filter(|v| !v.is_empty()) {
            by.entry(value).or_default().push(r);
        }
    }
    let mut values: Vec<(Cow<'_, str>, Vec<&Row>)> = by.into_iter().collect();
    values.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    values.truncate(VALUES);
    let share = |(name, members): (Cow<'_, str>, Vec<&Row>)| {
        let mut causes: BTreeMap<Cause, u64> = BTreeMap::new();
        for r in &members {
            *causes.entry(r.verdict.cause).or_default() += 1;
        }
        Share { count: members.len() as u64, total: total(&name, &members), cause: most(&causes), name: name.into_owned() }
    };
    values.into_iter().map(share).collect()
}

fn impact(rows: &[&Row], tick_ns: i64) -> Impact {
    let clients: HashSet<&str> = rows.iter().filter_map(|r| r.edge.client_ip.as_deref()).collect();
    let mut cleared: Vec<f64> = rows.iter().filter(|r| r.retry == "cleared").filter_map(|r| r.cleared_after_s).collect();
    cleared.sort_by(f64::total_cmp);
    let within = |s: f64| cleared.partition_point(|after| *after <= s) as u64;
    Impact {
        clients: clients.len() as u64,
        writes: rows.iter().filter(|r| r.edge.method.as_deref().is_some_and(|m| !matches!(m, "GET" | "HEAD" | "OPTIONS"))).count() as u64,
        cleared: cleared.len() as u64,
        persisted: rows.iter().filter(|r| r.retry == "persisted").count() as u64,
        // Two stamps of one second are up to a second apart.
        median_clear_s: cleared.get(cleared.len() / 2).map(|s| if tick_ns >= SECOND { s.max(tick_ns as f64 / SECOND as f64) } else { *s }),
        clear_90_s: cleared.get((cleared.len() * 9).div_ceil(10).saturating_sub(1)).copied(),
        backoff_saves: within(31.0),
        // Each retry waits twice as long as the one before: 1, 2, 4, 8, 16 s.
        backoff_steps: [1.0, 3.0, 7.0, 15.0, 31.0].map(within),
        methods: crate::episodes::top(rows.iter().filter_map(|r| r.edge.method.as_deref()), 6),
    }
}
