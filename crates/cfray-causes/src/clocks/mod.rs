//! Clocks: what has to be subtracted from a source's stamps to get Cloudflare's UTC.
//!
//! A source's lines fall into two groups: those that state a zone and those that do not. Each group
//! has a *shift*: stated time (zone applied if written, else the digits read as UTC) minus true
//! time. For a line without zone the shift holds zone and skew together; for one with a zone the
//! skew, or the whole error if the text of the zone is wrong.
//!
//! A shift may change within a file: by a step where local time is turned forward or back or somebody
//! sets the clock, and steadily where the clock drifts. So a clock has pieces, from a line on each,
//! because after a turn back the same digits come a second time and only the order of lines tells.

pub mod estimate;
mod fit;
mod machine;
mod resolve;
mod timeline;

pub use resolve::{Clocks, Rows, resolve};

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
    /// The zone fits so many events that another log of the same machine tells as well (the death of a
    /// process, a stop); the skew is the machine's.
    Machine(u32),
    /// Taken from another source of the same server.
    Borrowed,
    /// The zone written in the line, unchecked.
    Stated,
}

/// A shift that holds from a line on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// First line of the file for which it holds.
    pub from_line: u64,
    /// Earliest and latest stated time of its lines, in nanoseconds.
    pub stated: (i64, i64),
    /// Stated minus true at the stated time `at_ns`, in nanoseconds; `None` where the lines stand in an hour
    /// that came twice and nothing tells which of the two is meant.
    pub shift_ns: Option<i64>,
    /// See `shift_ns`.
    pub at_ns: i64,
    /// Drift: nanoseconds of shift a second of stated time.
    pub drift: f64,
}

impl Piece {
    /// One shift for everything.
    pub const fn constant(shift_ns: i64) -> Self {
        Self { from_line: 0, stated: (i64::MIN, i64::MAX), shift_ns: Some(shift_ns), at_ns: 0, drift: 0.0 }
    }

    /// Shift at a stated time of its lines.
    pub fn shift_at(&self, stated_ns: i64) -> Option<i64> {
        let moved =
            if self.drift == 0.0 { 0 } else { (self.drift * stated_ns.saturating_sub(self.at_ns) as f64 / SECOND as f64).round() as i64 };
        Some(self.shift_ns?.saturating_add(moved))
    }
}

/// The clock of one group of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// Stated minus true of most lines, in nanoseconds.
    pub shift_ns: i64,
    /// Half width of the interval in which the true shift lies, in nanoseconds.
    pub error_ns: i64,
    /// How it is known.
    pub how: How,
    /// By line, in order; empty: `shift_ns` holds for all.
    pub pieces: Vec<Piece>,
}

impl Clock {
    /// A clock with one shift.
    pub const fn constant(shift_ns: i64, error_ns: i64, how: How) -> Self {
        Self { shift_ns, error_ns, how, pieces: Vec::new() }
    }

    /// Shift of a line by its number and stated time; `None` where that hour came twice and nothing tells
    /// which one is meant.
    pub fn shift_of(&self, line: u64, stated_ns: i64) -> Option<i64> {
        match self.pieces.partition_point(|p| p.from_line <= line).checked_sub(1).and_then(|at| self.pieces.get(at)) {
            Some(piece) => piece.shift_at(stated_ns),
            None => Some(self.pieces.first().map_or(Some(self.shift_ns), |p| p.shift_at(stated_ns)).unwrap_or(self.shift_ns)),
        }
    }

    /// Shift at a stated time, where the line is not known: that of the first piece which has such times, else of
    /// the nearest.
    pub fn shift_near(&self, stated_ns: i64) -> i64 {
        let distance = |p: &&Piece| (p.stated.0.saturating_sub(stated_ns)).max(stated_ns.saturating_sub(p.stated.1)).max(0);
        let known = self.pieces.iter().filter(|p| p.shift_ns.is_some());
        known.min_by_key(distance).and_then(|p| p.shift_at(stated_ns)).unwrap_or(self.shift_ns)
    }

    /// Shift as (zone in seconds, a multiple of 15 minutes; skew in nanoseconds).
    pub const fn split(&self) -> (i64, i64) {
        split(self.shift_ns)
    }

    /// Drift of the longest piece in seconds an hour; 0: none was measured.
    pub fn drift_s_per_hour(&self) -> f64 {
        let longest = self.pieces.iter().filter(|p| p.drift != 0.0).max_by_key(|p| p.stated.1.saturating_sub(p.stated.0));
        longest.map_or(0.0, |p| p.drift * 3600.0 / SECOND as f64)
    }

    /// Turns of the clock: stated time after the turn, and by how much the shift changes, in nanoseconds.
    pub fn steps(&self) -> Vec<(i64, i64)> {
        let known: Vec<&Piece> = self.pieces.iter().filter(|p| p.shift_ns.is_some()).collect();
        let pairs = known.windows(2).filter_map(|pair| match pair {
            [a, b] => Some((b.stated.0, b.shift_at(b.stated.0)? - a.shift_at(a.stated.1)?)),
            _ => None,
        });
        pairs.filter(|(_, by)| by.abs() >= SECOND).collect()
    }
}

/// A shift as (zone in seconds, a multiple of 15 minutes; skew in nanoseconds).
pub const fn split(shift_ns: i64) -> (i64, i64) {
    let quarter = 900 * SECOND;
    let zone = (shift_ns + quarter / 2).div_euclid(quarter) * 900;
    (zone, shift_ns - zone * SECOND)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_line_decides_where_digits_come_twice() {
        let hour = 3600 * SECOND;
        let piece = |from_line, from: i64, to: i64, shift: Option<i64>| Piece {
            from_line,
            stated: (from * hour, to * hour),
            shift_ns: shift.map(|s| s * hour),
            at_ns: 0,
            drift: 0.0,
        };
        let pieces = vec![piece(1, 0, 3, Some(2)), piece(50, 2, 6, Some(1)), piece(90, 6, 7, None)];
        let clock = Clock { shift_ns: hour, error_ns: 1, how: How::Rays(9), pieces };
        assert_eq!(clock.shift_of(49, 5 * hour / 2), Some(2 * hour));
        assert_eq!(clock.shift_of(50, 5 * hour / 2), Some(hour));
        assert_eq!(clock.shift_of(0, 0), Some(2 * hour), "before the first line");
        assert_eq!(clock.shift_of(95, 6 * hour), None, "which of the two hours is not known");
        assert_eq!((clock.shift_near(hour), clock.shift_near(5 * hour), clock.shift_near(9 * hour)), (2 * hour, hour, hour));
        assert_eq!(clock.steps(), [(2 * hour, -hour)]);
    }

    #[test]
    fn drift_grows_with_the_hours() {
        let mut piece = Piece::constant(SECOND);
        piece.drift = 2.0 * SECOND as f64 / 3600.0;
        let clock = Clock { pieces: vec![piece], ..Clock::constant(SECOND, 1, How::Rays(9)) };
        assert_eq!(clock.shift_of(5, 7200 * SECOND), Some(5 * SECOND));
        assert!((clock.drift_s_per_hour() - 2.0).abs() < 1e-9);
    }
}
