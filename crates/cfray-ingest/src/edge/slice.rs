//! Incidents that are too many to be analysed at once, cut by time.

use cfray_model::shelf::BLOCK;
use cfray_model::slice::Finish;
use cfray_model::{EdgeRow, FactFlags, Facts, Shelf, Slice};
use rayon::prelude::*;

/// Blocks that are read back side by side.
const BATCH: usize = 16;

/// Incidents that were packed while rows were read.
#[derive(Clone, Default, Debug)]
pub(crate) struct Packed {
    pub rows: Shelf<EdgeRow>,
    /// First and last start in each block, in milliseconds.
    spans: Vec<(i64, i64)>,
}

impl Packed {
    /// Packs incidents behind those that are there.
    pub fn put(&mut self, rows: &[EdgeRow]) {
        for block in rows.chunks(BLOCK) {
            let starts = || block.iter().map(EdgeRow::start_ms);
            self.spans.extend(starts().min().zip(starts().max()));
            self.rows.append(Shelf::of(block));
        }
    }

    /// Puts what another has behind its own.
    pub fn append(&mut self, mut other: Self) {
        self.rows.append(other.rows);
        self.spans.append(&mut other.spans);
    }
}

/// Cuts incidents into slices of about `at_once` each. Where the cuts lie depends on the facts alone, so on the set of rows.
/// Files are in order of time as a rule: a block that lies in one slice stays as it is.
pub(super) fn slices(rows: Vec<EdgeRow>, packed: Packed, facts: &Facts, at_once: usize, finish: &Finish) -> Vec<Slice> {
    let Packed { rows: mut packed, spans } = packed;
    let cuts = cuts(facts, at_once);
    let slice_of = |start_ms: i64| cuts.partition_point(|cut| *cut <= start_ms);
    let froms = std::iter::once(i64::MIN).chain(cuts.iter().copied());
    let tos = cuts.iter().copied().chain([i64::MAX]);
    let empty = |(from_ms, to_ms)| Slice { from_ms, to_ms, rows: Shelf::default(), early: Shelf::default(), finish: finish.clone() };
    let mut slices: Vec<Slice> = froms.zip(tos).map(empty).collect();
    let mut mixed = Vec::new();
    for (block, (first, last)) in spans.into_iter().enumerate() {
        match slices.get_mut(slice_of(first)).filter(|_| slice_of(first) == slice_of(last)) {
            Some(slice) => slice.early.append(packed.take(block)),
            None => mixed.push(block),
        }
    }
    let mut open: Vec<Vec<EdgeRow>> = slices.iter().map(|_| Vec::new()).collect();
    let mut sort_in = |batch: Vec<Vec<EdgeRow>>| {
        let mut full: Vec<(usize, Vec<EdgeRow>)> = Vec::new();
        for row in batch.into_iter().flatten() {
            let at = slice_of(row.start_ms());
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
    sort_in(vec![finish.0(rows)]);
    for batch in mixed.chunks(BATCH) {
        let batches: Vec<Vec<EdgeRow>> = batch.par_iter().map(|block| finish.0(packed.block(*block))).collect();
        sort_in(batches);
        batch.iter().for_each(|block| packed.discard(*block));
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
    use std::sync::Arc;

    /// Rows of the times, each with its number as ray, packed in blocks of 100 behind the first 700; row 4,999 is a duplicate.
    fn cut(times: &dyn Fn(u64) -> i64) -> Vec<Slice> {
        let mut rows: Vec<EdgeRow> = (0..5000)
            .map(|n| EdgeRow { ray: Some(RayId(n)), start: (n > 0).then(|| Stamp(times(n) * 1_000_000)), ..EdgeRow::default() })
            .collect();
        let mut facts: Vec<Fact> =
            rows.iter().map(|r| Fact { start_ms: r.start_ms(), flags: FactFlags(FactFlags::INCIDENT), ..Fact::default() }).collect();
        facts.sort();
        let mut packed = Packed::default();
        rows.split_off(700).chunks(100).for_each(|block| packed.put(block));
        let finish = Finish(Arc::new(|rows| rows.into_iter().filter(|r| r.ray != Some(RayId(4999))).collect()));
        slices(rows, packed, &facts.into(), 900, &finish)
    }

    /// The rows of each slice, all of its time.
    fn opened(slices: &[Slice]) -> Vec<Vec<EdgeRow>> {
        for (slice, next) in slices.iter().zip(slices.iter().skip(1)) {
            assert_eq!(slice.to_ms, next.from_ms);
        }
        let rows = |slice: &Slice| {
            let mut rows: Vec<EdgeRow> = slice.rows.read(0..usize::MAX).to_vec();
            rows.extend((slice.finish.0)(slice.early.read(0..usize::MAX).to_vec()));
            for row in &rows {
                assert!((slice.from_ms..slice.to_ms).contains(&row.start_ms()));
            }
            rows
        };
        slices.iter().map(rows).collect()
    }

    #[test]
    fn every_incident_is_in_the_slice_of_its_time() {
        let anywhere = cut(&|n| (n * 7919 % 5000 / 3) as i64);
        assert!(anywhere.iter().all(|slice| slice.early.is_empty()), "no block lies in one slice");
        let in_order = cut(&|n| (n / 3) as i64);
        let early: usize = in_order.iter().map(|slice| slice.early.len()).sum();
        assert_eq!(early, 4300 - 4 * 100, "all blocks but those at a border stay as they are");
        for slices in [anywhere, in_order] {
            assert_eq!(slices.len(), 5);
            let opened = opened(&slices);
            for rows in &opened {
                assert!((990..=1010).contains(&rows.len()), "{}", rows.len());
            }
            let mut rays: Vec<u64> = opened.iter().flatten().filter_map(|row| row.ray).map(|ray| ray.0).collect();
            rays.sort_unstable();
            assert!(rays.iter().copied().eq(0..4999));
        }
    }
}
