//! The facts of a scan, in memory or outside of it.

use crate::fact::Fact;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Facts that lie outside of the process's own memory, such as in a mapped file.
pub trait FactStore: Send + Sync + fmt::Debug {
    /// All of them.
    fn facts(&self) -> &[Fact];
    /// One of them, without bringing what stands around it into memory.
    fn read(&self, index: usize) -> Option<Fact>;
    /// Those in the range are not needed for now: what was brought into memory for them may go. They stay readable.
    fn release(&self, range: Range<usize>);
}

/// Facts ordered by (start, ray): a slice, whose memory is given back behind whoever walks it when it lies in a store.
#[derive(Clone)]
pub struct Facts {
    all: Inner,
    /// Which of them these are.
    range: Range<usize>,
}

#[derive(Clone)]
enum Inner {
    Memory(Arc<Vec<Fact>>),
    Stored(Arc<dyn FactStore>),
}

impl Default for Facts {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

/// Facts that are walked before memory is given back: 3 MB.
const STRIDE: usize = 1 << 16;

impl Facts {
    /// Facts that a store holds.
    pub fn stored(store: Arc<dyn FactStore>) -> Self {
        let range = 0..store.facts().len();
        Self { all: Inner::Stored(store), range }
    }

    /// Those of a range of indexes, as facts of their own. Nothing is copied.
    #[must_use]
    pub fn within(&self, range: Range<usize>) -> Self {
        let at = |index: usize| self.range.start + index.min(self.len());
        Self { all: self.all.clone(), range: at(range.start)..at(range.end.max(range.start)) }
    }

    /// Do they lie outside of memory?
    pub fn is_stored(&self) -> bool {
        matches!(self.all, Inner::Stored(..))
    }

    /// One fact.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Fact> {
        if index >= self.range.len() {
            return None;
        }
        let index = self.range.start + index;
        match &self.all {
            Inner::Memory(facts) => facts.get(index).copied(),
            Inner::Stored(store) => store.read(index),
        }
    }

    /// All facts in order.
    pub fn iter(&self) -> Iter<'_> {
        self.part(0..self.len())
    }

    /// The facts of a range of indexes, as far as there are any.
    pub fn part(&self, range: Range<usize>) -> Iter<'_> {
        let (facts, store): (&[Fact], _) = match &self.all {
            Inner::Memory(facts) => (facts, None),
            Inner::Stored(store) => (store.facts(), Some(&**store)),
        };
        let end = self.range.start + range.end.min(self.len());
        let from = (self.range.start + range.start.min(self.len())).min(end);
        Iter { facts, store, held: from, next: from, end }
    }
}

impl From<Vec<Fact>> for Facts {
    fn from(facts: Vec<Fact>) -> Self {
        Self { range: 0..facts.len(), all: Inner::Memory(Arc::new(facts)) }
    }
}

impl FromIterator<Fact> for Facts {
    fn from_iter<I: IntoIterator<Item = Fact>>(facts: I) -> Self {
        Self::from(facts.into_iter().collect::<Vec<_>>())
    }
}

impl Deref for Facts {
    type Target = [Fact];

    fn deref(&self) -> &[Fact] {
        let all = match &self.all {
            Inner::Memory(facts) => facts,
            Inner::Stored(store) => store.facts(),
        };
        all.get(self.range.clone()).unwrap_or_default()
    }
}

impl<'a> IntoIterator for &'a Facts {
    type Item = &'a Fact;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl PartialEq for Facts {
    fn eq(&self, other: &Self) -> bool {
        self.deref() == other.deref()
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.deref()).finish()
    }
}

/// Walks facts in order and gives memory back behind itself.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    facts: &'a [Fact],
    store: Option<&'a dyn FactStore>,
    /// What stands before this has been given back.
    held: usize,
    next: usize,
    end: usize,
}

impl Iter<'_> {
    fn release(&mut self, to: usize) {
        if let Some(store) = self.store {
            store.release(self.held..to);
        }
        self.held = to;
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Fact;

    #[inline]
    fn next(&mut self) -> Option<&'a Fact> {
        if self.next >= self.end {
            return None;
        }
        if self.next - self.held >= STRIDE {
            self.release(self.next);
        }
        let fact = self.facts.get(self.next);
        self.next += 1;
        fact
    }

    fn nth(&mut self, n: usize) -> Option<&'a Fact> {
        self.next = self.next.saturating_add(n).min(self.end);
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end - self.next;
        (left, Some(left))
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        self.end -= 1;
        if self.end.is_multiple_of(STRIDE)
            && let Some(store) = self.store
        {
            store.release(self.end..self.facts.len());
        }
        self.facts.get(self.end)
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl Drop for Iter<'_> {
    fn drop(&mut self) {
        self.release(self.next);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Mutex;

    #[derive(Debug)]
    struct Shelf(Vec<Fact>, Mutex<Vec<Range<usize>>>);

    impl FactStore for Shelf {
        fn facts(&self) -> &[Fact] {
            &self.0
        }
        fn read(&self, index: usize) -> Option<Fact> {
            self.0.get(index).copied()
        }
        fn release(&self, range: Range<usize>) {
            self.1.lock().unwrap().push(range);
        }
    }

    #[test]
    fn a_walk_gives_back_what_it_passed() {
        let facts: Vec<Fact> = (0..3 * STRIDE as i64 / 2).map(|i| Fact { start_ms: i, ..Fact::default() }).collect();
        let shelf = Arc::new(Shelf(facts.clone(), Mutex::default()));
        let stored = Facts::stored(Arc::clone(&shelf) as Arc<dyn FactStore>);
        assert!(stored.iter().eq(&facts));
        assert_eq!(*shelf.1.lock().unwrap(), [0..STRIDE, STRIDE..facts.len()]);
        assert!(stored.iter().rev().eq(facts.iter().rev()));
        assert_eq!(stored, Facts::from(facts.clone()));
        assert_eq!(stored.iter().nth(70_000).map(|f| f.start_ms), Some(70_000));
        assert_eq!(stored.part(5..7).map(|f| f.start_ms).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(stored.part(facts.len() - 1..usize::MAX).len(), 1);
        assert_eq!(stored.iter().len(), facts.len());
        assert_eq!(stored.get(7).map(|f| f.start_ms), Some(7));
        assert_eq!(stored.get(facts.len()), None);
    }

    #[test]
    fn a_part_is_facts_of_its_own() {
        let facts: Vec<Fact> = (0..100).map(|i| Fact { start_ms: i, ..Fact::default() }).collect();
        for all in [Facts::from(facts.clone()), Facts::stored(Arc::new(Shelf(facts.clone(), Mutex::default())))] {
            let some = all.within(10..90).within(5..1000);
            assert_eq!((some.len(), some.get(0), some.get(75)), (75, facts.get(15).copied(), None));
            assert_eq!(some, Facts::from(facts[15..90].to_vec()));
            assert!(some.iter().rev().eq(facts[15..90].iter().rev()) && some.part(70..200).eq(&facts[85..90]));
            assert!(all.within(7..7).is_empty() && all.within(200..300).is_empty());
        }
    }
}
