//! Verdicts in, the report value out.

use crate::join::world::{EdgeKind, World};
use crate::registry;
use cfray_model::key::path_shape;
use cfray_model::report::{Breakdown, Bucket, CauseSummary, EdgeSummary, Episode, Impact, Meta, Report, Row, Share, Timeline};
use cfray_model::time::SECOND;
use cfray_model::{Cause, EdgeCounters, SourceInfo, Stamp, Tie};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

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
    for (k, n) in &b.by_minute {
        *a.by_minute.entry(*k).or_default() += n;
    }
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
    e.neighbours = e.counters.by_status.iter().filter_map(|(s, n)| Some((*s, Cause::of_status(*s)?, *n))).collect();
    report.causes = causes(&counted);
    report.endpoints = endpoints(&counted, totals);
    report.breakdowns = breakdowns(&counted, totals);
    report.impact = impact(&counted, report.edge.counters.precision_ns);
    report.timeline = timeline(&counted, &report.edge.counters);
    report.headline = headline(&report.meta, &report.edge, &report.causes, &report.episodes, &counted);
}

/// Numbers of all origin requests by name, for shares.
#[derive(Debug, Default)]
pub struct Totals {
    /// By dimension and value.
    pub by: BTreeMap<(&'static str, String), u64>,
    /// By page key.
    pub pages: BTreeMap<u32, u64>,
}

impl Totals {
    /// Adds one world's facts.
    pub fn add(&mut self, w: &World) {
        let mut by_combo = vec![0u64; w.edge.combos.len()];
        for f in &w.edge.facts {
            if let Some(n) = by_combo.get_mut(f.combo as usize) {
                *n += 1;
            }
        }
        for (c, n) in w.edge.combos.iter().zip(by_combo) {
            for (dimension, value) in [("host", &c.host), ("colo", &c.colo), ("origin_ip", &c.origin_ip), ("method", &c.method)] {
                if !value.is_empty() {
                    *self.by.entry((dimension, value.clone())).or_default() += n;
                }
            }
        }
        let hit: BTreeSet<u32> = w.incident_fact.iter().flatten().filter_map(|&i| w.edge.facts.get(i as usize)).map(|f| f.page).collect();
        for f in w.edge.facts.iter().filter(|f| hit.contains(&f.page)) {
            *self.pages.entry(f.page).or_default() += 1;
        }
    }
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
    #[derive(Default)]
    struct Endpoint {
        count: u64,
        causes: BTreeMap<Cause, u64>,
        pages: BTreeSet<u32>,
    }
    let mut by: HashMap<String, Endpoint> = HashMap::new();
    let mut name = String::new();
    for r in rows {
        let (method, host) = (r.edge.method.as_deref().unwrap_or("?"), r.edge.host.as_deref().unwrap_or("?"));
        let uri = r.edge.uri.as_deref().unwrap_or("?");
        name.clear();
        for piece in [method, " ", host, &path_shape(uri)] {
            name.push_str(piece);
        }
        if !by.contains_key(&name) {
            by.insert(name.clone(), Endpoint::default());
        }
        let Some(slot) = by.get_mut(&name) else { continue };
        slot.count += 1;
        *slot.causes.entry(r.verdict.cause).or_default() += 1;
        slot.pages.insert(cfray_model::key::page_key(host.as_bytes(), uri.as_bytes()) as u32);
    }
    let mut out: Vec<Share> = by
        .into_iter()
        .map(|(name, Endpoint { count, causes, pages })| {
            let total: u64 = pages.iter().filter_map(|p| totals.pages.get(p)).sum();
            Share { name, count, total: (total >= count).then_some(total), cause: most(&causes) }
        })
        .collect();
    out.sort_by(|a, b| b.count.cmp(&a.count).then(a.name.cmp(&b.name)));
    out.truncate(12);
    out
}

fn breakdowns(rows: &[&Row], totals: &Totals) -> Vec<Breakdown> {
    type Get = for<'a> fn(&'a Row) -> Option<Cow<'a, str>>;
    let dimensions: [(&str, Get); 6] = [
        ("host", |r| r.edge.host.as_deref().map(lower)),
        ("path", |r| r.edge.uri.as_deref().map(|uri| path_shape(uri).into())),
        ("colo", |r| r.edge.colo.as_deref().map(Cow::Borrowed)),
        ("origin_ip", |r| r.edge.origin_ip.as_deref().map(Cow::Borrowed)),
        ("method", |r| r.edge.method.as_deref().map(Cow::Borrowed)),
        ("client", |r| r.edge.client_ip.as_deref().map(Cow::Borrowed)),
    ];
    dimensions
        .into_iter()
        .filter_map(|(dimension, get)| {
            let mut by: HashMap<Cow<'_, str>, BTreeMap<Cause, u64>> = HashMap::new();
            for r in rows {
                if let Some(v) = get(r).filter(|v| !v.is_empty()) {
                    *by.entry(v).or_default().entry(r.verdict.cause).or_default() += 1;
                }
            }
            let mut list: Vec<_> = by.into_iter().map(|(name, causes)| (causes.values().sum::<u64>(), name, causes)).collect();
            list.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            list.truncate(12);
            let values: Vec<Share> = list
                .into_iter()
                .map(|(count, name, causes)| Share {
                    count,
                    total: totals.by.iter().find(|((d, v), _)| *d == dimension && *v == name).map(|(_, n)| *n),
                    cause: most(&causes),
                    name: name.into_owned(),
                })
                .collect();
            (!values.is_empty()).then(|| Breakdown { dimension: dimension.to_owned(), values })
        })
        .collect()
}

/// Lower case; most hosts are.
fn lower(host: &str) -> Cow<'_, str> {
    if host.bytes().any(|b| b.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

fn impact(rows: &[&Row], tick_ns: i64) -> Impact {
    let clients: HashSet<&str> = rows.iter().filter_map(|r| r.edge.client_ip.as_deref()).collect();
    let mut cleared: Vec<f64> = rows.iter().filter(|r| r.retry == "cleared").filter_map(|r| r.cleared_after_s).collect();
    cleared.sort_by(f64::total_cmp);
    Impact {
        clients: clients.len() as u64,
        writes: rows.iter().filter(|r| r.edge.method.as_deref().is_some_and(|m| !matches!(m, "GET" | "HEAD" | "OPTIONS"))).count() as u64,
        cleared: cleared.len() as u64,
        persisted: rows.iter().filter(|r| r.retry == "persisted").count() as u64,
        // Two stamps of one second are up to a second apart.
        median_clear_s: cleared.get(cleared.len() / 2).map(|s| if tick_ns >= SECOND { s.max(tick_ns as f64 / SECOND as f64) } else { *s }),
        backoff_saves: cleared.iter().filter(|s| **s <= 31.0).count() as u64,
    }
}

/// At most this many bars in the chart.
const BARS: i64 = 120;

fn timeline(rows: &[&Row], counters: &EdgeCounters) -> Timeline {
    let times = rows.iter().filter_map(|r| r.edge.start).map(|s| s.secs());
    let minutes = counters.by_minute.keys().map(|m| m * 60);
    let (Some(first), Some(last)) = (times.clone().chain(minutes.clone()).min(), times.chain(minutes).max()) else {
        return Timeline::default();
    };
    let widths = [60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400, 604_800];
    let bucket_s = widths.into_iter().find(|w| (last - first) / w < BARS).unwrap_or(2_592_000);
    let mut buckets: BTreeMap<i64, (u64, BTreeMap<Cause, u64>)> = BTreeMap::new();
    let start = first.div_euclid(bucket_s);
    for b in start..=last.div_euclid(bucket_s).min(start + 2 * BARS) {
        buckets.entry(b).or_default();
    }
    for (minute, n) in &counters.by_minute {
        buckets.entry((minute * 60).div_euclid(bucket_s)).or_default().0 += n;
    }
    for r in rows {
        if let Some(s) = r.edge.start {
            *buckets.entry(s.secs().div_euclid(bucket_s)).or_default().1.entry(r.verdict.cause).or_default() += 1;
        }
    }
    let buckets = buckets
        .into_iter()
        .map(|(b, (requests, causes))| Bucket { start_s: b * bucket_s, requests, causes: causes.into_iter().collect() })
        .collect();
    Timeline { bucket_s, buckets }
}

fn headline(meta: &Meta, edge: &EdgeSummary, causes: &[CauseSummary], episodes: &[Episode], rows: &[&Row]) -> String {
    let total = edge.incidents;
    let plain = meta.statuses.is_empty() || meta.statuses == "520";
    let (one, many) = if plain {
        ("520".to_owned(), "520s".to_owned())
    } else {
        (format!("request with status {}", meta.statuses), format!("requests with status {}", meta.statuses))
    };
    let chosen: Vec<&str> = meta
        .options
        .iter()
        .map(String::as_str)
        .filter(|o| ["host", "colo", "since", "until"].iter().any(|k| o.trim_start_matches('-').starts_with(k)))
        .collect();
    let chosen =
        if chosen.is_empty() { String::new() } else { format!(" passes the filter ({}); without it there may be some", chosen.join(", ")) };
    if total == 0 {
        return match edge.counters.rows {
            0 => "No Cloudflare rows were read, so nothing could be found.".to_owned(),
            n => format!("No {one} among {n} requests{chosen}."),
        };
    }
    let Some(first) = causes.first() else { return String::new() };
    let hosts = crate::episodes::top(rows.iter().filter_map(|r| r.edge.host.as_deref()), 2);
    let on = match hosts.as_slice() {
        [(one, _)] => format!(" on {one}"),
        [(one, n), ..] if *n * 10 >= total * 9 => format!(" on {one}"),
        [_, _, ..] => " on several hosts".to_owned(),
        _ => String::new(),
    };
    let when = episodes.iter().filter(|e| e.cause == Some(first.cause)).fold((None, None), |(a, b): (Option<Stamp>, Option<Stamp>), e| {
        (a.into_iter().chain(e.from).min(), b.into_iter().chain(e.to).max())
    });
    let when = match when {
        (Some(a), Some(b)) => {
            let (a, b) = (a.to_rfc3339_ms(), b.to_rfc3339_ms());
            let clock = |s: &str| s.get(11..16).unwrap_or_default().to_owned();
            let day = a.get(..10).unwrap_or_default().to_owned();
            if b.starts_with(&day) && clock(&a) == clock(&b) {
                format!(" at {} UTC on {day}", clock(&a))
            } else if b.starts_with(&day) {
                format!(" between {} and {} UTC on {day}", clock(&a), clock(&b))
            } else {
                format!(" between {day} {} and {} {} UTC", clock(&a), b.get(..10).unwrap_or_default(), clock(&b))
            }
        }
        _ => String::new(),
    };
    let says = first.says.trim_end_matches('.');
    let rest = total - first.count;
    let tail = match causes.get(1) {
        _ if rest == 0 => String::new(),
        Some(second) if second.count == rest => format!(" The other {rest}: {}.", second.cause),
        Some(second) => format!(" Of the other {rest}, {} are {}.", second.count, second.cause),
        None => String::new(),
    };
    if first.cause == Cause::Unknown {
        return format!("{} of {total} {many}{on}{when} cannot be explained by these logs.{tail}", first.count);
    }
    let sure = if first.confidence >= 0.85 { "" } else { "probably " };
    format!("{} of {total} {many}{on}{when} are {sure}{}: {says}.{tail}", first.count, first.cause)
}

/// `FILE:LINE` of a row.
pub fn place(sources: &[SourceInfo], at: cfray_model::LineRef) -> String {
    let name = sources.get(at.source.0 as usize).map_or("?", |s| s.name.as_str());
    format!("{name}:{}", at.line)
}
