//! What the scan of some rows leaves: plain data that merges in any order.

use super::slice::Packed;
use super::spill::{Run, Spill};
use cfray_model::edge::Reject;
use cfray_model::{Combo, EdgeField, EdgeRow, Fact, Stamp, Traffic};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Rejected lines that are kept as samples.
pub(crate) const REJECTS: usize = 8;
/// Facts a page: pages are sorted when they are full, and never copied when parts merge.
const PAGE: usize = if cfg!(test) { 64 } else { 1 << 14 };

/// Incidents after which a scanner looks whether they are many.
const INCIDENTS: usize = if cfg!(test) { 16 } else { 1 << 12 };

/// A place as one number: source, then offset. The order of places within a source and between
/// sources is that of [`cfray_model::LineRef`].
pub(crate) fn place(source: u32, offset: u64) -> u64 {
    const BITS: u32 = 40;
    u64::from(source) << BITS | offset.min((1 << BITS) - 1)
}

/// A fact with what finalizing needs: where it stands, and what its row counted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    pub fact: Fact,
    pub place: u64,
    /// Index into `EdgePart::classes`.
    pub class: u32,
    /// The row says its status, so that status 0 is not confused with none.
    pub has_status: bool,
}

/// Start in milliseconds, ray, place: what facts are sorted by.
pub(crate) type Order = (i64, u64, u64);

impl Kept {
    /// Facts stand in this order: by start, then ray, then place.
    pub fn order(&self) -> Order {
        (self.fact.start_ms, self.fact.ray, self.place)
    }
}

/// What rows of one shape and source have in common in the counters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Class {
    /// Fields of the row, one bit each.
    pub mask: u64,
    /// `ClientRequestSource`, when the row has it.
    pub source: Option<Vec<u8>>,
}

/// Memory that is used again for every page: fresh memory of this size comes from the kernel, page by page.
#[derive(Clone, Default, Debug)]
struct Desk {
    /// Start and number of each fact.
    order: Vec<(i64, u32)>,
    sorted: Vec<Kept>,
    packed: Vec<u8>,
}

/// The result of scanning any set of rows.
///
/// [`EdgePart::merge`] is associative and commutative as far as [`super::finalize()`] can see.
#[derive(Clone, Default, Debug)]
pub struct EdgePart {
    /// Incidents; line numbers still relative to their segment.
    pub(crate) incidents: Vec<EdgeRow>,
    /// Those that were packed because there are many.
    pub(crate) packed: Packed,
    /// The page that is being filled.
    open: Vec<Kept>,
    desk: Desk,
    /// Sorted pages.
    pages: Vec<Vec<Kept>>,
    /// Sorted pages that went to a file.
    pub(crate) runs: Vec<Run>,
    /// Where pages go when they are too many.
    pub(crate) spill: Option<Arc<Spill>>,
    /// What `Fact::combo` points to here; may hold equal values twice.
    pub(crate) combos: Vec<Combo>,
    pub(crate) classes: Vec<Class>,
    /// Rows of each class.
    pub(crate) class_rows: Vec<u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) traffic: Traffic,
    /// Lines in each block that was read, by source and offset: line numbers are settled at the
    /// end, so that nobody has to count the lines before a block first. (Documents number their own.)
    pub(crate) segments: BTreeMap<(u32, u64), u64>,
    /// Samples with the smallest places; line numbers relative to their segment.
    pub(crate) rejects: Vec<Reject>,
    pub(crate) rejected: u64,
    pub(crate) rows: u64,
    pub(crate) width: u32,
    pub(crate) first: Option<Stamp>,
    pub(crate) last: Option<Stamp>,
    pub(crate) precision_ns: i64,
    pub(crate) sample_interval: u64,
}

impl EdgePart {
    /// Rows read so far, duplicates included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Keeps an incident.
    pub(crate) fn incident(&mut self, row: EdgeRow) {
        self.incidents.push(row);
        if self.incidents.len().is_multiple_of(INCIDENTS) && self.spill.as_ref().is_some_and(|spill| spill.many_incidents(INCIDENTS)) {
            self.packed.put(&self.incidents);
            self.incidents.clear();
        }
    }

    /// A number that grows with everything of which the line's number is kept: whatever else comes to keep a [`cfray_model::LineRef`]
    /// belongs in this sum, since lanes settle line numbers only where it has grown.
    pub(crate) fn quoted(&self) -> usize {
        self.incidents.len() + self.packed.rows.len() + self.rejected as usize
    }

    /// Keeps a fact.
    pub(crate) fn keep(&mut self, kept: Kept) {
        if self.open.capacity() == 0 {
            self.open.reserve_exact(PAGE);
        }
        self.open.push(kept);
        if self.open.len() >= PAGE {
            self.seal();
        }
    }

    /// Sorts the open page and puts it away.
    fn seal(&mut self) {
        if self.open.is_empty() {
            return;
        }
        // Numbers are moved while they are sorted, facts once.
        let Desk { order, sorted, packed } = &mut self.desk;
        let (open, all) = (&self.open, |n: u32| self.open.get(n as usize).map(Kept::order));
        order.clear();
        order.extend(open.iter().zip(0..).map(|(kept, n)| (kept.fact.start_ms, n)));
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| all(a.1).cmp(&all(b.1))));
        sorted.clear();
        sorted.extend(order.iter().filter_map(|(_, n)| open.get(*n as usize)));
        match self.spill.as_ref().and_then(|spill| spill.offer(sorted, packed)) {
            Some(run) => self.runs.push(run),
            None => self.pages.push(sorted.clone()),
        }
        self.open.clear();
    }

    /// All pages in memory, each sorted.
    pub(crate) fn take_pages(&mut self) -> Vec<Vec<Kept>> {
        self.seal();
        std::mem::take(&mut self.pages)
    }

    /// Index of a class.
    pub(crate) fn class(&mut self, known: &mut HashMap<Class, u32>, class: Class) -> u32 {
        *known.entry(class).or_insert_with_key(|class| {
            self.classes.push(class.clone());
            self.class_rows.push(0);
            self.classes.len() as u32 - 1
        })
    }

    /// Counts a rejected line and keeps it if its place is among the smallest.
    pub(crate) fn reject(&mut self, at: cfray_model::LineRef, reason: impl FnOnce() -> String) {
        self.rejected += 1;
        let key = |r: &Reject| (r.at.source, r.at.offset);
        if self.rejects.len() >= REJECTS && self.rejects.last().is_some_and(|last| key(last) <= (at.source, at.offset)) {
            return;
        }
        let reject = Reject { at, reason: reason() };
        let index = self.rejects.partition_point(|r| key(r) <= key(&reject));
        self.rejects.insert(index, reject);
        self.rejects.truncate(REJECTS);
    }

    /// Both parts together.
    #[must_use]
    pub fn merge(mut self, mut other: Self) -> Self {
        self.seal();
        other.seal();
        // Nothing more is kept in parts that merge, as a rule.
        (self.open, self.desk, other.open, other.desk) = Default::default();
        if self.facts() < other.facts() {
            std::mem::swap(&mut self, &mut other);
        }
        let combo_base = self.combos.len() as u32;
        self.combos.append(&mut other.combos);
        let mut known: HashMap<Class, u32> = self.classes.iter().cloned().zip(0..).collect();
        let classes: Vec<u32> = std::mem::take(&mut other.classes).into_iter().map(|class| self.class(&mut known, class)).collect();
        for (class, rows) in classes.iter().zip(&other.class_rows) {
            if let Some(sum) = self.class_rows.get_mut(*class as usize) {
                *sum += rows;
            }
        }
        for mut page in other.pages {
            for kept in &mut page {
                kept.fact.combo += combo_base;
                kept.class = classes.get(kept.class as usize).copied().unwrap_or_default();
            }
            self.pages.push(page);
        }
        for mut run in other.runs {
            run.combo_base += combo_base;
            run.classes = Some(Arc::new(match run.classes {
                Some(before) => before.iter().map(|c| classes.get(*c as usize).copied().unwrap_or_default()).collect(),
                None => classes.clone(),
            }));
            self.runs.push(run);
        }
        self.spill = self.spill.or(other.spill);
        self.incidents.append(&mut other.incidents);
        self.packed.append(std::mem::take(&mut other.packed));
        for (status, rows) in other.statuses {
            *self.statuses.entry(status).or_default() += rows;
        }
        self.traffic.merge(&other.traffic);
        for (segment, lines) in other.segments {
            *self.segments.entry(segment).or_default() += lines;
        }
        self.rejects.append(&mut other.rejects);
        self.rejects.sort_by(|a, b| (a.at.source, a.at.offset, &a.reason).cmp(&(b.at.source, b.at.offset, &b.reason)));
        self.rejects.truncate(REJECTS);
        self.rejected += other.rejected;
        self.rows += other.rows;
        self.width = self.width.max(other.width);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.precision_ns = finest(self.precision_ns, other.precision_ns);
        self.sample_interval = self.sample_interval.max(other.sample_interval);
        self
    }

    fn facts(&self) -> usize {
        self.open.len() + self.pages.iter().map(Vec::len).sum::<usize>() + self.runs.iter().map(|r| r.rows).sum::<usize>()
    }
}

/// The finer of two tick widths; 0 is none.
pub(crate) fn finest(a: i64, b: i64) -> i64 {
    if a == 0 || (b != 0 && b < a) { b } else { a }
}

/// Names of the fields in a mask.
pub(crate) fn fields(mask: u64) -> impl Iterator<Item = &'static str> {
    EdgeField::ALL.iter().filter(move |f| mask & (1 << (**f as usize)) != 0).map(|f| f.name())
}
