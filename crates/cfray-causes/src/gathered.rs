//! Rows of all parts, brought into the order of the report.

use crate::brief::{Brief, Names};
use cfray_model::report::Row;
use cfray_model::shelf::BLOCK;
use cfray_model::{Cause, Rows, Shelf};
use rayon::prelude::*;

/// The rows in brief, in the order of the report, with the texts that they name.
#[derive(Debug, Default)]
pub struct Briefs {
    /// A brief a row.
    pub list: Vec<Brief>,
    /// Texts.
    pub names: Names,
}

/// Rows as they come.
pub struct Gathered {
    rows: Vec<Row>,
    /// In place of `rows`.
    shelf: Option<Shelf<Row>>,
    /// Of packed rows only, while they come.
    briefs: Briefs,
}

impl Gathered {
    /// Nothing yet. `packed`: there will be too many to keep them as they are.
    pub fn new(packed: bool) -> Self {
        Self { rows: Vec::new(), shelf: packed.then(Shelf::default), briefs: Briefs::default() }
    }

    /// Takes the rows of one part, or of a slice of it that follows the one before in time.
    pub fn add(&mut self, mut rows: Vec<Row>) {
        let Some(shelf) = &mut self.shelf else {
            if self.rows.is_empty() {
                self.rows = rows;
            } else {
                self.rows.append(&mut rows);
            }
            return;
        };
        sort(&mut rows);
        let briefs = &mut self.briefs;
        let pack = || rows.par_chunks(BLOCK).map(Shelf::of).collect::<Vec<_>>();
        let brief = || briefs.list.extend(rows.iter().map(|row| Brief::of(row, &mut briefs.names)));
        let (blocks, ()) = rayon::join(pack, brief);
        blocks.into_iter().for_each(|block| shelf.append(block));
    }

    /// All rows in the order of the report, their briefs, and how many were left out because they are copies. With `several` parts
    /// a copy of the same Logpush rows in each gives one row: the one that its logs explain best.
    pub fn finish(self, several: bool) -> (Rows, Briefs, usize) {
        let Self { mut rows, shelf, mut briefs } = self;
        let Some(shelf) = shelf else {
            let before = rows.len();
            if several {
                once_each(&mut rows);
            }
            sort(&mut rows);
            briefs.list = rows.iter().map(|row| Brief::of(row, &mut briefs.names)).collect();
            let copies = before - rows.len();
            return (rows.into(), briefs, copies);
        };
        let list = std::mem::take(&mut briefs.list);
        let mut order: Vec<u32> = (0..list.len() as u32).collect();
        let of = |n: &u32| list.get(*n as usize);
        if several {
            let same = |n: &u32| of(n).map(|b| (b.ray, b.start, b.request_source));
            let named = |n: &u32| of(n).map(|b| (b.cause() != Cause::Unknown, b.tie, (b.confidence * 1e6) as u64));
            order.sort_by(|a, b| same(a).cmp(&same(b)).then_with(|| named(b).cmp(&named(a))));
            order.dedup_by(|b, a| of(a).is_some_and(|a| a.ray.is_some()) && same(a) == same(b));
            order.sort_by_key(|n| (of(n).map(|b| (b.start, b.ray)), *n));
        }
        let copies = list.len() - order.len();
        // Of one part they are in order already, and a second list of them may be what memory lacks.
        briefs.list = if several { order.iter().filter_map(of).copied().collect() } else { list };
        (Rows::packed(shelf, order), briefs, copies)
    }
}

fn sort(rows: &mut [Row]) {
    rows.sort_by(|a, b| (a.edge.start, a.edge.ray, &a.source).cmp(&(b.edge.start, b.edge.ray, &b.source)));
}

fn once_each(rows: &mut Vec<Row>) {
    let named = |r: &Row| (r.verdict.cause != Cause::Unknown, r.verdict.tie, (r.verdict.confidence * 1e6) as u64);
    rows.sort_by(|a, b| {
        let same = (a.edge.ray, a.edge.start, &a.edge.source).cmp(&(b.edge.ray, b.edge.start, &b.edge.source));
        same.then_with(|| named(b).cmp(&named(a))).then_with(|| a.source.cmp(&b.source))
    });
    rows.dedup_by(|b, a| {
        a.edge.ray.is_some() && a.edge.ray == b.edge.ray && a.edge.start == b.edge.start && a.edge.source == b.edge.source
    });
}
