//! Facts of all parts in one order, each once.

use super::part::{EdgePart, Kept, Order};
use super::spill::{Run, Spill};
use cfray_model::{Fact, FactFlags, Facts};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
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
        let mut facts: Vec<Fact> = Vec::with_capacity(total);
        let done = pass(Merge::new(pages, runs), combos, source, &mut settled, |batch| {
            facts.extend_from_slice(batch);
            Ok(())
        });
        if let Err(e) = done {
            let lost = total - facts.len();
            settled.problems.push(format!("{lost} of {total} facts about rows could not be read back from the temporary file: {e}"));
        }
        settled.facts = Facts::from(facts);
    }
    settled.problems.extend(spill.and_then(|s| s.problem()));
    settled
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
    /// In memory, and how many are taken.
    Page(Arc<Vec<Kept>>, usize),
    /// In the file, not looked at yet.
    Closed(Run),
    /// In the file: the rest of its blocks, the current block, and how many of that are taken.
    Open(Box<dyn Iterator<Item = io::Result<Vec<Kept>>>>, Vec<Kept>, usize),
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
            Self::Page(page, taken) if *taken == page.len() => *self = Self::Done,
            _ => {}
        }
        Ok(match self {
            Self::Page(page, taken) => page.get(*taken),
            Self::Open(_, block, taken) => block.get(*taken),
            Self::Closed(_) | Self::Done => None,
        })
    }

    fn skip(&mut self) {
        if let Self::Page(_, taken) | Self::Open(_, _, taken) = self {
            *taken += 1;
        }
    }
}

impl Merge {
    fn new(pages: Vec<Arc<Vec<Kept>>>, runs: Vec<Run>) -> Self {
        let in_memory = pages.into_iter().filter_map(|p| Some((p.first()?.order(), Source::Page(p, 0))));
        let in_file = runs.into_iter().map(|r| (r.first, Source::Closed(r)));
        let (orders, sources): (Vec<_>, Vec<_>) = in_memory.chain(in_file).unzip();
        Self { sources, waiting: orders.into_iter().zip(0..).map(Reverse).collect(), current: None }
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
