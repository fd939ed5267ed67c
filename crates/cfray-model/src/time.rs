//! Points in time, and what a log says about them.

use serde::Serialize;

/// Nanoseconds since 1970-01-01T00:00:00Z. Covers the years 1678 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize)]
pub struct Stamp(pub i64);

impl crate::shelf::Pack for Stamp {
    fn pack<'t>(&'t self, out: &mut crate::shelf::Packer<'t>) {
        self.0.pack(out);
    }
    fn unpack(from: &mut crate::shelf::Unpack<'_>) -> Self {
        Self(i64::unpack(from))
    }
}

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const MILLI: i64 = 1_000_000;
/// Nanoseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;

/// Latest time that is believed, the end of the year 2099: the distance of two times, the difference of two such distances, and
/// what is added for windows and uncertainty fit into 64 bits.
pub const LATEST_NS: i64 = 4_102_444_800 * SECOND;

impl Stamp {
    /// From whole seconds since the epoch, saturating.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(SECOND))
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// Whole milliseconds since the epoch, rounded down.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(MILLI)
    }

    /// `2026-11-22T12:24:07.123Z`, the form every report uses.
    pub fn to_rfc3339_ms(self) -> String {
        use chrono::{Datelike, Timelike};
        let Some(t) = chrono::DateTime::from_timestamp_millis(self.millis()) else { return String::new() };
        let (date, time) = (t.date_naive(), t.time());
        // A format string would be read anew for each of a million stamps.
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            date.month(),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.nanosecond() / 1_000_000
        )
    }
}

/// A time as an origin log states it, before any clock was measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct LogTime {
    /// The written digits, read as if they were UTC, in nanoseconds since the epoch.
    pub civil_ns: i64,
    /// The zone written in the line, in seconds east of UTC. `Some(0)` for `Z`, `UTC`, `+0000` and
    /// epoch numbers; `None` when the line says nothing about its zone.
    pub offset_s: Option<i32>,
    /// Width of one tick of the stamp in nanoseconds (1_000_000_000 for whole seconds): the true
    /// time lies in `[t, t + precision_ns)`.
    pub precision_ns: i64,
    /// The line has no year (RFC 3164 syslog); `civil_ns` then holds year 1970 and the year is
    /// chosen later so that the time falls nearest to the edge rows.
    pub yearless: bool,
}

impl LogTime {
    /// UTC as far as the line itself tells: the written offset applied, else the digits as UTC; at least 1970, at most
    /// [`LATEST_NS`].
    pub const fn stated_ns(&self) -> i64 {
        let stated = match self.offset_s {
            Some(offset) => self.civil_ns.saturating_sub(offset as i64 * SECOND),
            None => self.civil_ns,
        };
        // Digits of the first hours of 1970 lie before it elsewhere.
        let (first, last) = (-86_400 * SECOND, LATEST_NS);
        if stated < first {
            first
        } else if stated > last {
            last
        } else {
            stated
        }
    }
}
