//! Facts of all parts in one order, each once.

use super::part::{EdgePart, Kept, Order};
use super::spill::{Run, Spill};
use cfray_model::{Fact, FactFlags, Facts};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Facts that are handed on at a time.
const BATCH: usize = 1 << 12;

/// What [`settle`] found.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// In order of start, ray and place.
    pub facts: Facts,
    /// Rows that were left out because another stands for them, by what they counted for.
    pub duplicates: BTreeMap<Duplicate, u64>,
    /// Places of the incidents among them.
    pub dropped: BTreeSet<u64>,
    /// What went wrong, for people.
    pub problems: Vec<String>,
}

/// What a row counted for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Duplicate {
    /// Index into `EdgePart::classes`.
    pub class: u32,
    /// `EdgeResponseStatus`, when the row has it.
    pub status: Option<u16>,
    /// Second of its start, when the row has one.
    pub second: Option<i64>,
}

impl Duplicate {
    fn of(kept: &Kept) -> Self {
        let timed = kept.fact.start_ms != i64::MIN;
        Self {
            class: kept.class,
            status: kept.has_status.then_some(kept.fact.edge_status),
            second: timed.then(|| kept.fact.start_ms.div_euclid(1000)),
        }
    }
}

/// Merges sorted pages and drops duplicates. Facts go to a temporary file when the part's [`Spill`] says so.
/// `combos` gives the final number of each combo.
pub(crate) fn settle(part: &mut EdgePart, combos: &[u32]) -> Settled {
    let pages: Vec<Arc<Vec<Kept>>> = part.take_pages().into_iter().map(Arc::new).collect();
    let runs = std::mem::take(&mut part.runs);
    let total = pages.iter().map(|p| p.len()).sum::<usize>() + runs.iter().map(|r| r.rows).sum::<usize>();
    let spill: Option<Arc<Spill>> = part.spill.clone();
    let source = |k: &Kept| part.classes.get(k.class as usize).and_then(|c| c.source.as_deref());
    let mut settled = Settled::default();
    if let Some(spill) = &spill
        && let Some(mut out) = spill.finished(total)
    {
        let merge = Merge::new(pages.clone(), runs.clone());
        let stored = pass(merge, combos, source, &mut settled, |facts| out.write(facts)).and_then(|()| out.finish());
        match stored {
            Ok(store) => settled.facts = Facts::stored(Arc::new(store)),
            Err(e) => spill.fail(&e),
        }
    }
    if settled.facts.is_empty() && total > 0 {
        settled = Settled::default();
        // Only the merges hold the pages: each goes as soon as it is merged.
        let merged = stretches(pages, runs, rayon::current_num_threads()).into_par_iter().map(|merge| {
            let mut settled = Settled::default();
            let mut facts: Vec<Fact> = Vec::with_capacity(merge.held());
            let done = pass(merge, combos, source, &mut settled, |batch| {
                facts.extend_from_slice(batch);
                Ok(())
            });
            (facts, settled, done)
        });
        let merged: Vec<_> = merged.collect();
        let len = merged.iter().map(|(facts, ..)| facts.len()).sum::<usize>();
        let mut facts: Vec<Fact> = Vec::new();
        for (mut stretch, found, done) in merged {
            if let Err(e) = done {
                let lost = total - len;
                settled.problems.push(format!("{lost} of {total} facts about rows could not be read back from the temporary file: {e}"));
            }
            for (duplicate, rows) in found.duplicates {
                *settled.duplicates.entry(duplicate).or_default() += rows;
            }
            settled.dropped.extend(found.dropped);
            if facts.is_empty() {
                facts = stretch;
                facts.reserve_exact(len - facts.len());
            } else {
                facts.append(&mut stretch);
            }
        }
        settled.facts = Facts::from(facts);
    }
    settled.problems.extend(spill.and_then(|s| s.problem()));
    settled
}

/// Facts that are worth a thread.
const STRETCH: usize = if cfg!(test) { 100 } else { 1 << 16 };

/// Merges of stretches of time, which may be settled side by side and hold everything in order. What went to a file is read in one.
fn stretches(pages: Vec<Arc<Vec<Kept>>>, runs: Vec<Run>, threads: usize) -> Vec<Merge> {
    let total: usize = pages.iter().map(|p| p.len()).sum();
    let threads = threads.min(total / STRETCH);
    if !runs.is_empty() || threads < 2 {
        return vec![Merge::new(pages, runs)];
    }
    // Duplicates start at the same time, so cuts between times part none. Pages hold as many facts each, so the times in the middle of
    // all pages lie as all facts do.
    let mut times: Vec<i64> =
        pages.iter().flat_map(|page| (1..8).filter_map(|n| page.get(page.len() * n / 8))).map(|k| k.fact.start_ms).collect();
    times.sort_unstable();
    let cuts: Vec<i64> = (1..threads).filter_map(|n| times.get(times.len() * n / threads).copied()).collect();
    let at = |page: &[Kept], cut: Option<&i64>, none: usize| cut.map_or(none, |cut| page.partition_point(|k| k.fact.start_ms < *cut));
    (0..=cuts.len())
        .map(|n| {
            let from = n.checked_sub(1).and_then(|n| cuts.get(n));
            Merge::within(pages.iter().map(|page| (Arc::clone(page), at(page, from, 0)..at(page, cuts.get(n), page.len()))))
        })
        .collect()
}

/// One pass over everything: facts that stay go to `out` in batches, the others to `settled`.
fn pass<'a>(
    merge: Merge,
    combos: &[u32],
    source: impl Fn(&Kept) -> Option<&'a [u8]>,
    settled: &mut Settled,
    mut out: impl FnMut(&[Fact]) -> io::Result<()>,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut last = (i64::MIN, 0u64);
    let mut first_of_group: Option<Kept> = None;
    let mut sources: BTreeSet<Option<&[u8]>> = BTreeSet::new();
    for kept in merge {
        let mut kept = match kept {
            Ok(kept) => kept,
            Err(e) => {
                out(&batch)?;
                return Err(e);
            }
        };
        kept.fact.combo = combos.get(kept.fact.combo as usize).copied().unwrap_or_default();
        let key = (kept.fact.start_ms, kept.fact.ray);
        if kept.fact.ray == 0 || first_of_group.is_none() || key != last {
            last = key;
            first_of_group = Some(kept);
            sources.clear();
        } else {
            // Most groups have one row: the set is filled only when a second one comes.
            if sources.is_empty() {
                sources.extend(first_of_group.as_ref().map(&source));
            }
            if !sources.insert(source(&kept)) {
                *settled.duplicates.entry(Duplicate::of(&kept)).or_default() += 1;
                if kept.fact.flags.has(FactFlags::INCIDENT) {
                    settled.dropped.insert(kept.place);
                }
                continue;
            }
        }
        batch.push(kept.fact);
        if batch.len() == BATCH {
            out(&batch)?;
            batch.clear();
        }
    }
    out(&batch)
}

/// Sorted sources as one sorted sequence.
struct Merge {
    sources: Vec<Source>,
    /// Sources with the order of their next fact, but for the current one.
    waiting: BinaryHeap<Reverse<(Order, usize)>>,
    current: Option<usize>,
}

enum Source {
    /// In memory, and which are still to be taken.
    Page(Arc<Vec<Kept>>, Range<usize>),
    /// In the file, not looked at yet.
    Closed(Run),
    /// In the file: the rest of its blocks, the current block, and how many of that are taken.
    Open(Box<dyn Iterator<Item = io::Result<Vec<Kept>>> + Send>, Vec<Kept>, usize),
    Done,
}

impl Source {
    /// The next fact, which stays.
    fn peek(&mut self) -> io::Result<Option<&Kept>> {
        if let Self::Closed(run) = self {
            *self = Self::Open(Box::new(run.clone().read()), Vec::new(), 0);
        }
        if let Self::Open(blocks, block, taken) = self
            && *taken == block.len()
        {
            *taken = 0;
            match blocks.next() {
                Some(next) => *block = next?,
                None => *self = Self::Done,
            }
        }
        match self {
            Self::Page(_, left) if left.start >= left.end => *self = Self::Done,
            _ => {}
        }
        Ok(match self {
            Self::Page(page, left) => page.get(left.start),
            Self::Open(_, block, taken) => block.get(*taken),
            Self::Closed(_) | Self::Done => None,
        })
    }

    fn skip(&mut self) {
        match self {
            Self::Page(_, left) => left.start += 1,
            Self::Open(_, _, taken) => *taken += 1,
            Self::Closed(_) | Self::Done => {}
        }
    }
}

impl Merge {
    fn new(pages: Vec<Arc<Vec<Kept>>>, runs: Vec<Run>) -> Self {
        let in_memory = pages.into_iter().map(|page| {
            let all = 0..page.len();
            (page, all)
        });
        let mut merge = Self::within(in_memory);
        for run in runs {
            merge.waiting.push(Reverse((run.first, merge.sources.len())));
            merge.sources.push(Source::Closed(run));
        }
        merge
    }

    /// Of parts of pages.
    fn within(pages: impl Iterator<Item = (Arc<Vec<Kept>>, Range<usize>)>) -> Self {
        let parts = pages.filter_map(|(page, part)| Some((page.get(part.clone())?.first()?.order(), Source::Page(page, part))));
        let (orders, sources): (Vec<_>, Vec<_>) = parts.unzip();
        Self { sources, waiting: orders.into_iter().zip(0..).map(Reverse).collect(), current: None }
    }

    /// Facts, before the first is taken.
    fn held(&self) -> usize {
        let of = |source: &Source| match source {
            Source::Page(_, left) => left.len(),
            Source::Closed(run) => run.rows,
            Source::Open(..) | Source::Done => 0,
        };
        self.sources.iter().map(of).sum()
    }
}

impl Iterator for Merge {
    type Item = io::Result<Kept>;

    #[inline]
    fn next(&mut self) -> Option<io::Result<Kept>> {
        loop {
            let index = match self.current {
                Some(index) => index,
                None => self.waiting.pop()?.0.1,
            };
            self.current = Some(index);
            let source = self.sources.get_mut(index)?;
            let kept = match source.peek() {
                Ok(Some(kept)) => *kept,
                Ok(None) => {
                    self.current = None;
                    continue;
                }
                Err(e) => return Some(Err(e)),
            };
            let order = kept.order();
            if self.waiting.peek().is_some_and(|Reverse((least, _))| *least < order) {
                self.waiting.push(Reverse((order, index)));
                self.current = None;
                continue;
            }
            source.skip();
            return Some(Ok(kept));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        /// Stretches one after the other are the whole, and no time stands in two.
        #[test]
        fn stretches_hold_everything_in_order(times in vec((prop_oneof![Just(i64::MIN), 0i64..40], 0u64..3), 0..900), threads in 1usize..6) {
            let kept = |(place, (start_ms, ray)): (usize, (i64, u64))| {
                Kept { fact: Fact { start_ms, ray, ..Fact::default() }, place: place as u64, class: 0, has_status: true }
            };
            let all: Vec<Kept> = times.into_iter().enumerate().map(kept).collect();
            let pages: Vec<Arc<Vec<Kept>>> = all.chunks(64).map(|page| {
                let mut page = page.to_vec();
                page.sort_by_key(Kept::order);
                Arc::new(page)
            }).collect();
            let stretches = stretches(pages, Vec::new(), threads);
            prop_assert_eq!(stretches.len(), threads.min(all.len() / STRETCH).max(1));
            let mut whole = Vec::new();
            for merge in stretches {
                let held = merge.held();
                let part: Vec<Kept> = merge.map(|kept| kept.map_err(|e| TestCaseError::fail(e.to_string()))).collect::<Result<_, _>>()?;
                prop_assert_eq!(part.len(), held);
                let (last, first): (Option<&Kept>, Option<&Kept>) = (whole.last(), part.first());
                prop_assert!(last.zip(first).is_none_or(|(last, first)| last.fact.start_ms < first.fact.start_ms));
                whole.extend(part);
            }
            let mut sorted = all;
            sorted.sort_by_key(Kept::order);
            prop_assert_eq!(whole, sorted);
        }
    }
}
