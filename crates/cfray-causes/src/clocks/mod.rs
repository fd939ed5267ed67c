//! Clocks: what has to be subtracted from a source's stamps to get Cloudflare's UTC.
//!
//! A source's lines fall into two groups: those that state a zone and those that do not. Each group
//! has a *shift*: stated time (zone applied if written, else the digits read as UTC) minus true
//! time. For a line without zone the shift holds zone and skew together; for one with a zone the
//! skew, or the whole error if the text of the zone is wrong.

pub mod estimate;
mod resolve;

pub use resolve::{Clocks, resolve};

use cfray_model::time::SECOND;

/// How a shift is known, most trusted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// `--tz` or the configuration (zone only; a measured skew is added).
    Given,
    /// Measured from ray-tied pairs.
    Rays(u32),
    /// Measured from request-tied pairs.
    Requests(u32),
    /// Taken from another source of the same server.
    Borrowed,
    /// The zone written in the line, unchecked.
    Stated,
}

/// The clock of one group of lines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Stated minus true, in nanoseconds.
    pub shift_ns: i64,
    /// Half width of the interval in which the true shift lies, in nanoseconds.
    pub error_ns: i64,
    /// How it is known.
    pub how: How,
}

impl Clock {
    /// Shift as (zone in seconds, a multiple of 15 minutes; skew in nanoseconds).
    pub const fn split(&self) -> (i64, i64) {
        let quarter = 900 * SECOND;
        let zone = (self.shift_ns + quarter / 2).div_euclid(quarter) * 900;
        (zone, self.shift_ns - zone * SECOND)
    }
}
