//! Files and streams in, scans out: discovery, reading, the edge pass and the origin pass.
//!
//! ```text
//! inputs -> discover() -> Discovery -> scan_edge()   -> EdgeScan -> IncidentIndex
//!                                   -> scan_origin() -> OriginScan
//! ```
//!
//! * [`mod@discover`]: what each file is, and of which server; content decides, never the name alone.
//! * [`open`]: paths and streams as plain bytes, whatever compression they have, with caps.
//! * [`blocks`]: those bytes as blocks of whole lines or records, numbered.
//! * [`parallel`]: blocks of many files to many threads; the results merge in any order.
//! * [`edge`] and [`origin`]: the two passes.
//!
//! A line or file that cannot be read is counted, sampled and named, never fatal.

pub mod blocks;
pub mod discover;
pub mod edge;
pub mod memory;
pub mod mmap;
#[cfg(test)]
mod moving_tests;
pub mod open;
pub mod options;
pub mod origin;
pub mod parallel;
#[cfg(test)]
mod testing;

pub use discover::{Discovery, discover};
pub use edge::scan_edge;
pub use mmap::MmapPolicy;
pub use options::{Input, NoProgress, Options, Progress};
pub use origin::scan_origin;
