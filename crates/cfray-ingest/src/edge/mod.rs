//! The edge pass: Cloudflare rows in, an [`cfray_model::EdgeScan`] out.
//!
//! ```text
//! blocks of lines ─► EdgeScanner ─┬ fast   (NDJSON whose keys repeat)  ─┐
//!                                 ├ full   (any JSON row)              ─┤
//!                                 ├ document (`{"result":[...]}`)      ─┼─► Slots ─► Collector ─► EdgePart
//!                                 └ csv    (with or without a header)  ─┘
//! EdgePart::merge ─► finalize ─► EdgeScan
//! ```
//!
//! All parsers produce the same `Slots` (where each known field stands in the record); everything
//! after that is one code path, so parsers cannot disagree about anything but positions.
//!
//! Rules of reading, the same on every path:
//! * names in any case; the user's names beat canonical ones, those beat aliases; of equal names the
//!   last one in the row counts;
//! * numbers may be strings and strings numbers; `null` is like an absent field;
//! * a line is rejected only when its structure is broken or nothing in it is a known field; a value
//!   that cannot be understood (a date of year 9999, a status of 70000) is just absent.

mod collect;
mod combos;
mod csv;
mod datasets;
mod detect;
mod document;
mod fast;
mod fields;
mod finalize;
mod full;
mod keys;
mod lex;
mod ndjson;
mod part;
pub mod rays;
mod row;
mod scan;
mod scanner;
mod settle;
mod simd;
mod slice;
mod spill;
mod subrequests;
mod time;
mod value;

#[cfg(test)]
mod scan_tests;
#[cfg(test)]
mod tests;

pub use csv::CsvColumns;
pub use datasets::other_dataset;
pub use detect::{EdgeFormat, EdgeKind, detect};
pub use fields::Names;
pub use finalize::finalize;
pub use part::EdgePart;
pub use scan::scan_edge;
pub use scanner::EdgeScanner;

/// Longest row that is read, in bytes; longer ones are rejected.
pub const MAX_ROW: usize = 16 << 20;
