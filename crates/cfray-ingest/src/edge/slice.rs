//! Incidents that are too many to be analysed at once, cut by time.

use cfray_model::shelf::BLOCK;
use cfray_model::{EdgeRow, FactFlags, Facts, Shelf, Slice};
use rayon::prelude::*;

/// Blocks that are read back side by side.
const BATCH: usize = 16;

/// Cuts incidents into slices of about `at_once` each. Where the cuts lie depends on the facts alone, so on the set of rows.
/// `finish` leaves out duplicates and settles line numbers.
pub(super) fn slices(
    rows: Vec<EdgeRow>,
    mut packed: Shelf<EdgeRow>,
    facts: &Facts,
    at_once: usize,
    finish: impl Fn(Vec<EdgeRow>) -> Vec<EdgeRow> + Sync,
) -> Vec<Slice> {
    let cuts = cuts(facts, at_once);
    let froms = std::iter::once(i64::MIN).chain(cuts.iter().copied());
    let tos = cuts.iter().copied().chain([i64::MAX]);
    let mut slices: Vec<Slice> = froms.zip(tos).map(|(from_ms, to_ms)| Slice { from_ms, to_ms, rows: Shelf::default() }).collect();
    let mut open: Vec<Vec<EdgeRow>> = slices.iter().map(|_| Vec::new()).collect();
    let mut sort_in = |batch: Vec<Vec<EdgeRow>>| {
        let mut full: Vec<(usize, Vec<EdgeRow>)> = Vec::new();
        for row in batch.into_iter().flatten() {
            let at = row.start.map_or(0, |start| cuts.partition_point(|cut| *cut <= start.millis()));
            let Some(list) = open.get_mut(at) else { continue };
            list.push(row);
            if list.len() >= BLOCK {
                full.push((at, std::mem::take(list)));
            }
        }
        let blocks: Vec<(usize, Shelf<EdgeRow>)> = full.into_par_iter().map(|(at, rows)| (at, Shelf::of(&rows))).collect();
        for (at, block) in blocks {
            if let Some(slice) = slices.get_mut(at) {
                slice.rows.append(block);
            }
        }
    };
    sort_in(vec![finish(rows)]);
    for from in (0..packed.blocks()).step_by(BATCH) {
        let to = (from + BATCH).min(packed.blocks());
        let batches: Vec<Vec<EdgeRow>> = (from..to).into_par_iter().map(|block| finish(packed.block(block))).collect();
        sort_in(batches);
        (from..to).for_each(|block| packed.discard(block));
    }
    for (slice, list) in slices.iter_mut().zip(&open) {
        slice.rows.put(list);
    }
    slices
}

/// Moments before which a slice ends, in milliseconds: each slice has `at_once` incidents or a few more, those of one millisecond
/// stay together. A rest that is small goes with the slice before it.
fn cuts(facts: &Facts, at_once: usize) -> Vec<i64> {
    let incidents = facts.iter().filter(|f| f.flags.has(FactFlags::INCIDENT)).count();
    let each = incidents.div_ceil((incidents / at_once.max(1)).max(1)).max(1);
    let (mut cuts, mut held, mut last) = (Vec::new(), 0, i64::MIN);
    for f in facts.iter().filter(|f| f.flags.has(FactFlags::INCIDENT)) {
        if held >= each && f.start_ms != last {
            cuts.push(f.start_ms);
            held = 0;
        }
        held += 1;
        last = f.start_ms;
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfray_model::{Fact, RayId, Stamp};

    #[test]
    fn every_incident_is_in_the_slice_of_its_time() {
        let times = |n: u64| (n * 7919 % 5000 / 3) as i64;
        let mut rows: Vec<EdgeRow> = (0..5000)
            .map(|n| EdgeRow { ray: Some(RayId(n)), start: (n > 0).then(|| Stamp(times(n) * 1_000_000)), ..EdgeRow::default() })
            .collect();
        let mut facts: Vec<Fact> = rows
            .iter()
            .map(|r| Fact { start_ms: r.start.map_or(i64::MIN, Stamp::millis), flags: FactFlags(FactFlags::INCIDENT), ..Fact::default() })
            .collect();
        facts.sort();
        let mut packed = Shelf::default();
        packed.put(&rows.split_off(700));
        let slices = slices(rows, packed, &facts.into(), 900, |rows| rows.into_iter().filter(|r| r.ray != Some(RayId(4999))).collect());
        assert_eq!(slices.len(), 5);
        assert_eq!(slices.iter().map(|s| s.rows.len()).sum::<usize>(), 4999);
        for (slice, next) in slices.iter().zip(slices.iter().skip(1)) {
            assert_eq!(slice.to_ms, next.from_ms);
        }
        for slice in &slices {
            assert!((990..=1010).contains(&slice.rows.len()), "{}", slice.rows.len());
            for row in slice.rows.read(0..usize::MAX) {
                let start = row.start.map_or(i64::MIN, Stamp::millis);
                assert!((slice.from_ms..slice.to_ms).contains(&start));
            }
        }
    }
}
