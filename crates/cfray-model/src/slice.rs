//! A scan cut by time, where its incidents are too many to be analysed at once.

use crate::edge::{EdgeRow, EdgeScan};
use crate::fact::{Fact, FactFlags};
use crate::facts::Facts;
use crate::shelf::Shelf;
use crate::source::SourceId;
use crate::time::{LogTime, MILLI, SECOND};
use foldhash::HashSet;
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::Arc;

/// Incidents of a stretch of time, packed.
#[derive(Clone, Debug)]
pub struct Slice {
    /// They start at or after this moment, in milliseconds; the first slice has those without a start as well.
    pub from_ms: i64,
    /// They start before this.
    pub to_ms: i64,
    /// The incidents, in no order.
    pub rows: Shelf<EdgeRow>,
    /// More of them as they were packed while rows were read, before all was known that [`Self::finish`] knows.
    pub early: Shelf<EdgeRow>,
    /// What is still to be done to [`Self::early`].
    pub finish: Finish,
}

impl Slice {
    /// Its incidents, which are gone here.
    pub fn take(&mut self) -> Self {
        let Self { from_ms, to_ms, rows, early, finish } = self;
        Self { from_ms: *from_ms, to_ms: *to_ms, rows: mem::take(rows), early: mem::take(early), finish: finish.clone() }
    }
}

/// Leaves out incidents that other rows stand for, and settles line numbers: neither is known before all rows were read.
#[derive(Clone)]
pub struct Finish(pub Arc<dyn Fn(Vec<EdgeRow>) -> Vec<EdgeRow> + Send + Sync>);

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Finish")
    }
}

/// Facts, and lines about processes, beside a slice's own requests that its analysis sees: idle connections live for 15 minutes
/// at Cloudflare, retries and pauses are looked for over less.
const BESIDE_MS: i64 = 900_000;
/// The same for lines that name a request.
const BESIDE_REQUEST_NS: i64 = 60 * SECOND;

/// Which lines can matter to a slice.
#[derive(Clone, Debug, Default)]
pub struct SliceTime {
    /// First start and last end of its incidents, in nanoseconds of true time. `None`: only what measures clocks matters.
    pub requests: Option<(i64, i64)>,
    /// Requests that start at or after the first moment and before the second are this slice's, in milliseconds. Others are
    /// seen from another slice as well.
    pub starts: (i64, i64),
    /// Which slice it is, from 1, and how many there are.
    pub number: (usize, usize),
    /// By source the least and the greatest that its stamps are off: stated minus true time, in nanoseconds. Lines of other
    /// sources may all matter.
    pub shifts: Arc<BTreeMap<SourceId, (i64, i64)>>,
}

impl SliceTime {
    /// Can a line of this source and time matter?
    pub fn may_matter(&self, source: SourceId, time: Option<LogTime>, names_request: bool) -> bool {
        let Some((from, to)) = self.requests else { return false };
        let (Some((least, most)), Some(time)) = (self.shifts.get(&source), time.filter(|t| !t.yearless)) else { return true };
        let beside = if names_request { BESIDE_REQUEST_NS } else { BESIDE_MS * MILLI };
        let stated = time.stated_ns();
        stated.saturating_sub(*least).saturating_add(beside) >= from && stated.saturating_sub(*most).saturating_sub(beside) <= to
    }
}

/// Rays and requests of incidents.
#[derive(Debug, Default)]
pub struct IncidentKeys {
    /// Rays.
    pub rays: HashSet<u64>,
    /// Low halves of request keys.
    pub requests: HashSet<u32>,
}

impl IncidentKeys {
    /// Of all incidents among the facts.
    pub fn of(facts: &Facts) -> Self {
        let incidents = || facts.iter().filter(|f| f.flags.has(FactFlags::INCIDENT));
        let mut keys = Self::default();
        // A set that grows takes twice its room for a moment. Requests are few: storms ask for the same over and over.
        keys.rays.reserve(incidents().filter(|f| f.ray != 0).count());
        for f in incidents() {
            keys.rays.extend((f.ray != 0).then_some(f.ray));
            keys.requests.extend((f.request != 0).then_some(f.request));
        }
        keys
    }
}

impl EdgeScan {
    /// The scan as if it had the incidents of one slice alone, with the facts of its time. Counters stay those of the whole.
    /// `incidents`: those of the slice, unpacked and in order ([`EdgeRow::order`]). `shifts`: see [`SliceTime`].
    #[must_use]
    pub fn slice(&self, number: usize, incidents: Vec<EdgeRow>, shifts: &Arc<BTreeMap<SourceId, (i64, i64)>>) -> Self {
        let Some(slice) = self.slices.get(number) else { return Self::default() };
        let before = |ms: i64| self.facts.partition_point(|f| f.start_ms < ms);
        let from = if slice.from_ms == i64::MIN { 0 } else { before(slice.from_ms.saturating_sub(BESIDE_MS)) };
        let first = incidents.iter().filter_map(|row| row.start).min();
        let last = incidents.iter().filter_map(|row| row.end.or(row.start)).max();
        // Without a start nobody knows when a request was.
        let timeless = incidents.iter().any(|row| row.start.is_none());
        let requests = first.zip(last).filter(|_| !timeless).map_or((i64::MIN, i64::MAX), |(first, last)| (first.0, last.0));
        Self {
            incidents,
            facts: self.facts.within(from..before(slice.to_ms.saturating_add(BESIDE_MS))),
            time: Some(SliceTime {
                requests: Some(requests),
                starts: (slice.from_ms, slice.to_ms),
                number: (number + 1, self.slices.len()),
                shifts: Arc::clone(shifts),
            }),
            ..self.measuring()
        }
    }

    /// Is a request this slice's, and no other's? Of a scan that is not sliced all are, of one that only measures none.
    pub fn owns(&self, fact: &Fact) -> bool {
        self.time.as_ref().is_none_or(|slice| (slice.starts.0..slice.starts.1).contains(&fact.start_ms))
    }

    /// The scan without its incidents: what clocks are measured with before the slices' turn.
    #[must_use]
    pub fn measuring(&self) -> Self {
        Self {
            incidents: Vec::new(),
            slices: Vec::new(),
            time: Some(SliceTime::default()),
            everybody: self.everybody.clone(),
            facts: self.facts.clone(),
            combos: self.combos.clone(),
            counters: self.counters.clone(),
            rejects: self.rejects.clone(),
            problems: Vec::new(),
            lines: self.lines.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_times_do_not_matter() {
        let shifts = Arc::new(BTreeMap::from([(SourceId(1), (-SECOND, 3 * SECOND))]));
        let time = SliceTime { requests: Some((1000 * SECOND, 1100 * SECOND)), shifts, ..SliceTime::default() };
        let at = |s: i64| Some(LogTime { civil_ns: s * SECOND, offset_s: None, precision_ns: SECOND, yearless: false });
        for (s, request, process) in [
            (1000, true, true),
            (939, true, true),
            (938, false, true),
            (1163, true, true),
            (1164, false, true),
            (98, false, false),
            (99, false, true),
        ] {
            assert_eq!(time.may_matter(SourceId(1), at(s), true), request, "{s}");
            assert_eq!(time.may_matter(SourceId(1), at(s), false), process, "{s}");
        }
        assert!(time.may_matter(SourceId(2), at(0), true) && time.may_matter(SourceId(1), None, true));
        let yearless = at(0).map(|t| LogTime { yearless: true, ..t });
        assert!(time.may_matter(SourceId(1), yearless, true));
        assert!(!SliceTime::default().may_matter(SourceId(1), at(1000), false));
    }
}
