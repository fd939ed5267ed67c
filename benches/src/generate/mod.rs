//! Log sets of any size: Cloudflare rows, the origin's logs, and the truth about every 520.
//!
//! ```text
//! Spec ─► Plan (which rows fail, and how) ─┬─► edge::write     Logpush rows
//!                                          ├─► origin::lines   access, error and FPM log
//!                                          └─► truth::lines    truth.csv
//! ```
//!
//! Every row is a function of seed and number, so ranges of rows are written by any thread in any
//! order and the bytes are the same.

pub mod apache;
pub mod edge;
pub mod files;
pub mod origin;
pub mod plan;
pub mod rng;
pub mod row;
pub mod tables;
pub mod text;
pub mod truth;

pub use files::{Layout, Written, write_set};
pub use plan::{Plan, Spec};

use row::Row;
use std::ops::Range;
use text::Text;

/// Hands every request of a range that the origin has a line for to `each`, in the order of their numbers.
pub fn origin_rows(plan: &Plan, rows: Range<u64>, mut each: impl FnMut(&Row)) {
    let mut row = Row::default();
    for number in rows {
        row.fill(plan, number);
        if row.logged_status != 0 {
            each(&row);
        }
    }
}

/// The Logpush rows of a range, as one text.
pub fn edge_rows(plan: &Plan, rows: Range<u64>) -> Vec<u8> {
    let mut out = Text::default();
    let mut row = Row::default();
    for number in rows {
        row.fill(plan, number);
        edge::write(&row, true, &mut out);
    }
    out.bytes
}
