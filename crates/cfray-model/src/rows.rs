//! The rows of a report, as they are or packed.

use crate::report::Row;
use crate::shelf::{BLOCK, Shelf};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Rows in the order of the report. In a large storm they are packed and come back a block at a time.
#[derive(Clone, Debug)]
pub struct Rows(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Kept(Vec<Row>),
    Packed(Packed),
}

/// Packed rows with what is known of them only when all are there.
#[derive(Clone, Debug)]
struct Packed {
    shelf: Arc<Shelf<Row>>,
    /// Which row of the shelf each row of the report is.
    order: Vec<u32>,
    /// Number of each row's episode, in the order of the report; 0 is none.
    episodes: Vec<u32>,
}

impl Rows {
    /// Rows of a shelf: `order` says which of them stand in the report, and where.
    pub fn packed(shelf: Shelf<Row>, order: Vec<u32>) -> Self {
        Self(Inner::Packed(Packed { shelf: Arc::new(shelf), episodes: vec![0; order.len()], order }))
    }

    /// Number of rows.
    pub const fn len(&self) -> usize {
        match &self.0 {
            Inner::Kept(rows) => rows.len(),
            Inner::Packed(packed) => packed.order.len(),
        }
    }

    /// No rows?
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows themselves, where they are not packed.
    pub fn kept(&self) -> Option<&[Row]> {
        match &self.0 {
            Inner::Kept(rows) => Some(rows),
            Inner::Packed(_) => None,
        }
    }

    /// Numbers the episode of a row; 0 is none.
    pub fn set_episode(&mut self, index: usize, number: u32) {
        match &mut self.0 {
            Inner::Kept(rows) => {
                if let Some(row) = rows.get_mut(index) {
                    row.episode = (number > 0).then_some(i64::from(number));
                }
            }
            Inner::Packed(packed) => {
                if let Some(slot) = packed.episodes.get_mut(index) {
                    *slot = number;
                }
            }
        }
    }

    /// One row.
    pub fn get(&self, index: usize) -> Option<Cow<'_, Row>> {
        match &self.0 {
            Inner::Kept(rows) => rows.get(index).map(Cow::Borrowed),
            Inner::Packed(packed) => {
                let at = *packed.order.get(index)? as usize;
                packed.shelf.get(at).map(|row| Cow::Owned(packed.told(row, index)))
            }
        }
    }

    /// The rows of a range, as far as there are any.
    pub fn range(&self, range: Range<usize>) -> Cow<'_, [Row]> {
        let range = range.start.min(self.len())..range.end.min(self.len());
        match &self.0 {
            Inner::Kept(rows) => Cow::Borrowed(rows.get(range).unwrap_or_default()),
            Inner::Packed(packed) => Cow::Owned(packed.range(range)),
        }
    }

    /// Rows from here and there, in the order asked for; each block is unpacked once.
    pub fn pick(&self, indexes: &[usize]) -> Vec<Cow<'_, Row>> {
        match &self.0 {
            Inner::Kept(rows) => indexes.iter().filter_map(|index| rows.get(*index)).map(Cow::Borrowed).collect(),
            Inner::Packed(packed) => packed.pick(indexes).into_iter().map(Cow::Owned).collect(),
        }
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, Row>> {
        let kept = self.kept().unwrap_or_default().iter().map(Cow::Borrowed);
        let packed = if self.kept().is_none() { self.len() } else { 0 };
        kept.chain((0..packed).step_by(BLOCK).flat_map(|from| self.range(from..from + BLOCK).into_owned()).map(Cow::Owned))
    }
}

impl Packed {
    /// The row with what was found out later.
    fn told(&self, mut row: Row, index: usize) -> Row {
        self.tell(&mut row, index);
        row
    }

    fn tell(&self, row: &mut Row, index: usize) {
        row.episode = self.episodes.get(index).filter(|number| **number > 0).map(|number| i64::from(*number));
    }

    fn pick(&self, indexes: &[usize]) -> Vec<Row> {
        let asked = indexes.iter().enumerate().filter_map(|(place, index)| Some((*self.order.get(*index)?, place, *index)));
        let mut asked: Vec<(u32, usize, usize)> = asked.collect();
        asked.sort_unstable();
        let found = asked.into_iter().filter_map(|(at, place, index)| Some((place, self.told(self.shelf.get(at as usize)?, index))));
        let mut found: Vec<(usize, Row)> = found.collect();
        found.sort_unstable_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, row)| row).collect()
    }

    fn range(&self, range: Range<usize>) -> Vec<Row> {
        let order = self.order.get(range.clone()).unwrap_or_default();
        let told = |(row, index)| self.told(row, index);
        // Rows of one part of the input stand in the shelf as they stand in the report.
        let first = order.first().copied().unwrap_or_default();
        if order.iter().zip(first..).all(|(at, next)| *at == next) {
            let mut rows = self.shelf.read(first as usize..first as usize + order.len());
            rows.iter_mut().zip(range).for_each(|(row, index)| self.tell(row, index));
            return rows;
        }
        // Those of several parts come from a few stretches: each is read once.
        let mut wanted: Vec<(u32, usize)> = order.iter().copied().zip(0..).collect();
        wanted.sort_unstable();
        let mut found: Vec<(usize, Row)> = Vec::with_capacity(wanted.len());
        for stretch in wanted.chunk_by(|(a, _), (b, _)| b - a < BLOCK as u32) {
            let (Some((from, _)), Some((to, _))) = (stretch.first(), stretch.last()) else { continue };
            let rows = self.shelf.read(*from as usize..*to as usize + 1);
            let mut places = stretch.iter().peekable();
            for (row, at) in rows.into_iter().zip(*from..) {
                if let Some((_, place)) = places.next_if(|(wanted, _)| *wanted == at) {
                    found.push((*place, row));
                }
            }
        }
        found.sort_unstable_by_key(|(place, _)| *place);
        found.into_iter().map(|(place, row)| told((row, range.start + place))).collect()
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::from(Vec::new())
    }
}

impl From<Vec<Row>> for Rows {
    fn from(rows: Vec<Row>) -> Self {
        Self(Inner::Kept(rows))
    }
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, EdgeRow, Evidence, EvidenceKind, RayId, Stamp, Tie, Verdict};

    fn row(n: u64) -> Row {
        Row {
            edge: EdgeRow {
                ray: Some(RayId(n << 40 | 7)),
                start: Some(Stamp(n as i64 * 1_000_003)),
                uri: Some(format!("/page/{n}?q=ä").into()),
                edge_status: 520,
                tcp_ms: Some(-1),
                ..EdgeRow::default()
            },
            source: crate::text::Place::new("a.log".into(), n),
            server: "web".into(),
            connection: "reused",
            idle_gap_s: Some(n as f64 / 8.0),
            verdict: Verdict {
                cause: if n.is_multiple_of(2) { Cause::WorkerCrash } else { Cause::own("mine", crate::Family::Malformed, "", "", "") },
                confidence: 0.95,
                tie: Tie::Chain,
                evidence: vec![Evidence {
                    kind: EvidenceKind::Absence,
                    source: "b.log".into(),
                    line: Some(n),
                    time_ms: Some(-5),
                    offset_ms: None,
                    text: format!("line {n}").into(),
                }],
                missing: vec!["a".into(), format!("{n}").into()],
                runner_up: Some((Cause::OomKill, 0.1)),
            },
            episode: None,
            retry: "persisted",
            cleared_after_s: None,
            counted: n.is_multiple_of(3),
            lines: Vec::new(),
        }
    }

    fn text(rows: &[Row]) -> String {
        format!("{rows:?}")
    }

    #[test]
    fn packed_rows_are_the_rows() {
        let all: Vec<Row> = (0..3000).map(row).collect();
        let mut shelf = Shelf::default();
        shelf.put(&all);
        let mut packed = Rows::packed(shelf.clone(), (0..3000).collect());
        assert_eq!(text(&packed.range(0..usize::MAX)), text(&all));
        assert_eq!(text(&packed.range(1000..1100)), text(&all[1000..1100]));
        packed.set_episode(2047, 9);
        assert_eq!(packed.get(2047).and_then(|r| r.episode), Some(9));
        assert_eq!(packed.iter().map(|r| r.episode.unwrap_or(0)).sum::<i64>(), 9);
        assert_eq!((packed.len(), packed.kept().is_none(), packed.get(3000).is_none()), (3000, true, true));

        // Two parts in step, one row left out.
        let order: Vec<u32> = (0..1500).flat_map(|n| [n, n + 1500]).filter(|n| *n != 1700).collect();
        let mixed: Vec<Row> = order.iter().filter_map(|n| all.get(*n as usize).cloned()).collect();
        let packed = Rows::packed(shelf, order);
        assert_eq!(text(&packed.range(390..420)), text(&mixed[390..420]));
        assert_eq!(text(&packed.iter().map(Cow::into_owned).collect::<Vec<_>>()), text(&mixed));
        let asked = [2998, 7, 1500, 9999, 8];
        let picked = |rows: &Rows| text(&rows.pick(&asked).into_iter().map(Cow::into_owned).collect::<Vec<_>>());
        assert_eq!(picked(&packed), picked(&Rows::from(mixed)));
        // Wherever they lie, no block is unpacked twice.
        let Inner::Packed(inner) = &packed.0 else { return };
        let unpacked = || inner.shelf.unpacked.load(std::sync::atomic::Ordering::Relaxed);
        let before = unpacked();
        assert_eq!(packed.pick(&(0..2999).rev().step_by(3).collect::<Vec<_>>()).len(), 1000);
        assert!(unpacked() - before <= inner.shelf.blocks(), "{} for {}", unpacked() - before, inner.shelf.blocks());
    }

    #[test]
    fn kept_rows_are_lent() {
        let mut rows = Rows::from(vec![row(1), row(2)]);
        rows.set_episode(1, 3);
        assert_eq!(rows.iter().map(|r| r.episode).collect::<Vec<_>>(), [None, Some(3)]);
        assert!(matches!(rows.range(0..9), Cow::Borrowed(all) if all.len() == 2));
    }
}
