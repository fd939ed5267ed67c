//! From merged parts to the scan: order, duplicates, global ids, line numbers, counters.

use super::part::{EdgePart, Kept, fields, place};
use cfray_model::{Combo, EdgeCounters, EdgeRow, EdgeScan, FactFlags, LineRef};
use rayon::slice::ParallelSliceMut;
use std::collections::{BTreeMap, BTreeSet};

/// Finishes a scan. The result depends on the rows and their places only, not on how they were cut
/// into parts.
///
/// A row with the same ray, start (to the millisecond) and source as another is a duplicate; the one
/// at the smallest place stays. Rows that leave no fact (below 500, origin not contacted) are not compared.
pub fn finalize(mut part: EdgePart) -> EdgeScan {
    let mut counters = count(&part);

    let (combos, ids) = settle_combos(std::mem::take(&mut part.combos));
    let mut kept = flatten(std::mem::take(&mut part.pages));
    for k in &mut kept {
        k.fact.combo = ids.get(k.fact.combo as usize).copied().unwrap_or_default();
    }
    kept.par_sort_unstable_by_key(|k| (k.fact.start_ms, k.fact.ray, k.place));
    let dropped = drop_duplicates(&mut kept, &part, &mut counters);

    let mut incidents = std::mem::take(&mut part.incidents);
    if !dropped.is_empty() {
        incidents.retain(|row| !dropped.contains(&place(row.at.source.0, row.at.offset)));
    }
    let starts = line_starts(&part);
    for row in &mut incidents {
        row.at = settle_line(&starts, row.at);
    }
    incidents.par_sort_unstable_by_key(|row: &EdgeRow| (row.start, row.ray, row.at));
    let mut rejects = std::mem::take(&mut part.rejects);
    for reject in &mut rejects {
        reject.at = settle_line(&starts, reject.at);
    }
    rejects.sort();

    let facts = kept.into_iter().map(|k| k.fact).collect();
    let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
    for (&(source, _), n) in &part.segments {
        *lines.entry(source).or_default() += n;
    }
    EdgeScan { incidents, facts, combos, counters, rejects, lines, ..EdgeScan::default() }
}

/// Counters with duplicates still in.
fn count(part: &EdgePart) -> EdgeCounters {
    let mut counters = EdgeCounters {
        rows: part.rows,
        rejected: part.rejected,
        by_status: part.statuses.clone(),
        traffic: part.traffic.clone(),
        width: part.width,
        first: part.first,
        last: part.last,
        precision_ns: part.precision_ns,
        below_500: part.statuses.range(..500).map(|(_, rows)| rows).sum(),
        sample_interval: part.sample_interval,
        ..EdgeCounters::default()
    };
    for (class, rows) in part.classes.iter().zip(&part.class_rows) {
        for field in fields(class.mask) {
            *counters.fields.entry(field.to_owned()).or_default() += rows;
        }
        if let Some(source) = &class.source {
            *counters.by_source.entry(String::from_utf8_lossy(source).into_owned()).or_default() += rows;
        }
    }
    counters
}

/// Takes one row back out of the counters.
fn discount(counters: &mut EdgeCounters, kept: &Kept, part: &EdgePart) {
    fn less<K: Ord>(map: &mut BTreeMap<K, u64>, key: &K) {
        if let Some(rows) = map.get_mut(key) {
            *rows = rows.saturating_sub(1);
            if *rows == 0 {
                map.remove(key);
            }
        }
    }
    counters.rows = counters.rows.saturating_sub(1);
    counters.duplicates += 1;
    // Status 0 stands for a row without the field and was not counted.
    if kept.has_status {
        less(&mut counters.by_status, &kept.fact.edge_status);
        if kept.fact.edge_status < 500 {
            counters.below_500 = counters.below_500.saturating_sub(1);
        }
    }
    if kept.fact.start_ms != i64::MIN {
        counters.traffic.take(kept.fact.start_ms.div_euclid(1000));
    }
    if let Some(class) = part.classes.get(kept.class as usize) {
        for field in fields(class.mask) {
            less(&mut counters.fields, &field.to_owned());
        }
        if let Some(source) = &class.source {
            less(&mut counters.by_source, &String::from_utf8_lossy(source).into_owned());
        }
    }
}

/// Drops all but the first of rows with equal ray, start and source; returns the places of dropped incidents.
fn drop_duplicates(kept: &mut Vec<Kept>, part: &EdgePart, counters: &mut EdgeCounters) -> BTreeSet<u64> {
    let mut dropped = BTreeSet::new();
    let mut last = (i64::MIN, 0u64);
    let mut sources: BTreeSet<Option<&[u8]>> = BTreeSet::new();
    let mut first_of_group: Option<Kept> = None;
    let source = |k: &Kept| part.classes.get(k.class as usize).and_then(|c| c.source.as_deref());
    kept.retain(|k| {
        let key = (k.fact.start_ms, k.fact.ray);
        if k.fact.ray == 0 || first_of_group.is_none() || key != last {
            last = key;
            first_of_group = Some(*k);
            sources.clear();
            return true;
        }
        // Most groups have one row: the set is filled only when a second one comes.
        if sources.is_empty() {
            sources.extend(first_of_group.as_ref().map(source));
        }
        if sources.insert(source(k)) {
            return true;
        }
        discount(counters, k, part);
        if k.fact.flags.has(FactFlags::INCIDENT) {
            dropped.insert(k.place);
        }
        false
    });
    dropped
}

/// All pages as one list; each is freed as soon as it is copied.
fn flatten(mut pages: Vec<Vec<Kept>>) -> Vec<Kept> {
    if pages.len() == 1 {
        return pages.pop().unwrap_or_default();
    }
    let mut all = Vec::with_capacity(pages.iter().map(Vec::len).sum());
    for page in pages {
        all.extend_from_slice(&page);
    }
    all
}

/// Distinct combos in order, and for each local id the global one.
fn settle_combos(combos: Vec<Combo>) -> (Vec<Combo>, Vec<u32>) {
    let mut order: Vec<(Combo, usize)> = combos.into_iter().zip(0..).collect();
    order.sort();
    let mut ids = vec![0u32; order.len()];
    let mut distinct: Vec<Combo> = Vec::new();
    for (combo, local) in order {
        if distinct.last() != Some(&combo) {
            distinct.push(combo);
        }
        if let Some(id) = ids.get_mut(local) {
            *id = distinct.len() as u32 - 1;
        }
    }
    (distinct, ids)
}

/// For each segment the number of lines before it in its source.
fn line_starts(part: &EdgePart) -> BTreeMap<(u32, u64), u64> {
    let mut starts = BTreeMap::new();
    let mut current = None;
    let mut before = 0;
    for (&(source, offset), lines) in &part.segments {
        if current != Some(source) {
            current = Some(source);
            before = 0;
        }
        starts.insert((source, offset), before);
        before += lines;
    }
    starts
}

/// The place with its line number counted from the beginning of the source.
fn settle_line(starts: &BTreeMap<(u32, u64), u64>, at: LineRef) -> LineRef {
    let before = starts.range((at.source.0, 0)..=(at.source.0, at.offset)).next_back().map_or(0, |(_, before)| *before);
    LineRef { line: at.line + before, ..at }
}
