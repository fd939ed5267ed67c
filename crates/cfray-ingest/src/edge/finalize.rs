//! From merged parts to the scan: order, duplicates, global ids, line numbers, counters.

use super::part::{EdgePart, fields, place};
use super::settle::{Duplicate, settle};
use super::slice;
use cfray_model::slice::Finish;
use cfray_model::{Combo, EdgeCounters, EdgeRow, EdgeScan, IncidentKeys, LineRef};
use rayon::slice::ParallelSliceMut;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Finishes a scan. The result depends on the rows and their places only, not on how they were cut
/// into parts.
///
/// A row with the same ray, start (to the millisecond) and source as another is a duplicate; the one
/// at the smallest place stays. Rows that leave no fact (below 500, origin not contacted) are not compared.
pub fn finalize(mut part: EdgePart) -> EdgeScan {
    let mut counters = count(&part);

    let (combos, ids) = settle_combos(std::mem::take(&mut part.combos));
    let settled = settle(&mut part, &ids);
    for (duplicate, rows) in &settled.duplicates {
        discount(&mut counters, duplicate, *rows, &part);
    }
    let dropped = settled.dropped;

    let starts = line_starts(&part);
    let mut rejects = std::mem::take(&mut part.rejects);
    for reject in &mut rejects {
        reject.at = settle_line(&starts, reject.at);
    }
    rejects.sort();
    let finish = Finish(Arc::new(move |mut rows| {
        if !dropped.is_empty() {
            rows.retain(|row| !dropped.contains(&place(row.at.source.0, row.at.offset)));
        }
        rows.iter_mut().for_each(|row| row.at = settle_line(&starts, row.at));
        rows
    }));
    let (mut incidents, packed) = (std::mem::take(&mut part.incidents), std::mem::take(&mut part.packed));
    let at_once = part.spill.as_ref().map_or(usize::MAX, |spill| spill.incidents_at_once);
    let mut slices = Vec::new();
    if incidents.len() + packed.rows.len() > at_once {
        slices = slice::slices(incidents, packed, &settled.facts, at_once, &finish);
        incidents = Vec::new();
    } else {
        incidents.extend(packed.rows.read(0..usize::MAX));
        incidents = finish.0(incidents);
        incidents.par_sort_unstable_by_key(EdgeRow::order);
    }

    let mut lines: BTreeMap<u32, u64> = BTreeMap::new();
    for (&(source, _), n) in &part.segments {
        *lines.entry(source).or_default() += n;
    }
    let everybody = (!slices.is_empty()).then(|| Arc::new(IncidentKeys::of(&settled.facts)));
    EdgeScan {
        incidents,
        slices,
        time: None,
        everybody,
        facts: settled.facts,
        combos,
        counters,
        rejects,
        problems: settled.problems,
        lines,
    }
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

/// Takes duplicates of one kind back out of the counters.
fn discount(counters: &mut EdgeCounters, duplicate: &Duplicate, rows: u64, part: &EdgePart) {
    fn less<K: Ord>(map: &mut BTreeMap<K, u64>, key: &K, rows: u64) {
        if let Some(n) = map.get_mut(key) {
            *n = n.saturating_sub(rows);
            if *n == 0 {
                map.remove(key);
            }
        }
    }
    counters.rows = counters.rows.saturating_sub(rows);
    counters.duplicates += rows;
    if let Some(status) = duplicate.status {
        less(&mut counters.by_status, &status, rows);
        if status < 500 {
            counters.below_500 = counters.below_500.saturating_sub(rows);
        }
    }
    if let Some(second) = duplicate.second {
        counters.traffic.take(second, rows);
    }
    if let Some(class) = part.classes.get(duplicate.class as usize) {
        for field in fields(class.mask) {
            less(&mut counters.fields, &field.to_owned(), rows);
        }
        if let Some(source) = &class.source {
            less(&mut counters.by_source, &String::from_utf8_lossy(source).into_owned(), rows);
        }
    }
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
