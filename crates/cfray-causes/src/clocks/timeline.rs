//! Shifts by true time, and how they are laid over the lines of a file.
//!
//! Where summer time ends, an hour of digits comes twice. Lines stand in a file in the order in which they were
//! written, so a jump back by most of an hour tells where the second time begins; where no line jumps, pairs
//! decide; where those are silent, too, the lines of that hour have no known time.

use super::estimate::Pair;
use super::{Clock, Piece};
use crate::settings::ZoneSpec;
use cfray_model::time::SECOND;

/// One stretch of true time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// From when, in nanoseconds of true time.
    pub from: i64,
    /// Stated minus true at `at`.
    pub shift: i64,
    /// See `shift`.
    pub at: i64,
    /// Nanoseconds of shift a second.
    pub drift: f64,
}

/// Stretches in order; the first begins at the beginning of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline(pub Vec<Change>);

/// Zone changes come at whole hours of UTC nearly everywhere.
const HOUR: i64 = 3600 * SECOND;

/// A change between two moments, at a whole hour if there is one.
fn between(before: i64, after: i64) -> i64 {
    let hour = after.div_euclid(HOUR) * HOUR;
    if hour > before { hour } else { before + (after - before) / 2 }
}

impl Timeline {
    /// One shift for ever.
    pub fn constant(shift: i64) -> Self {
        Self(vec![Change { from: i64::MIN, shift, at: 0, drift: 0.0 }])
    }

    /// What a measured clock says of its machine.
    pub fn of(clock: &Clock) -> Self {
        let known: Vec<(&Piece, i64)> = clock.pieces.iter().filter_map(|p| Some((p, p.shift_ns?))).collect();
        if known.is_empty() {
            return Self::constant(clock.shift_ns);
        }
        let mut out: Vec<Change> = Vec::new();
        let mut end = i64::MIN;
        for (p, shift) in known {
            let from = if out.is_empty() { i64::MIN } else { between(end, p.stated.0.saturating_sub(shift)) };
            end = p.stated.1.saturating_sub(shift);
            out.push(Change { from, shift, at: p.at_ns - shift, drift: p.drift });
        }
        Self(out)
    }

    /// The zone that the user named, between two moments of true time.
    pub fn zone(zone: &ZoneSpec, from: i64, to: i64) -> Self {
        use chrono::{Offset, TimeZone};
        let tz = match zone {
            ZoneSpec::Fixed(s) => return Self::constant(i64::from(*s) * SECOND),
            ZoneSpec::Named(tz) => tz,
        };
        let at = |ns: i64| {
            let utc = chrono::DateTime::from_timestamp(ns.div_euclid(SECOND), 0).unwrap_or_default().naive_utc();
            i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc()) * SECOND
        };
        // No zone changes twice within a quarter of an hour; over years a coarser net finds the seasons.
        let step = 900 * SECOND * ((to.saturating_sub(from)) / (900 * SECOND) / 100_000 + 1);
        let mut ns = from.div_euclid(step) * step;
        let mut out = vec![Change { from: i64::MIN, shift: at(ns), at: 0, drift: 0.0 }];
        while ns < to {
            ns += step;
            if out.last().is_some_and(|c| c.shift != at(ns)) {
                out.push(Change { from: ns, shift: at(ns), at: 0, drift: 0.0 });
            }
        }
        Self(out)
    }

    /// Zones written in lines: true time and seconds east of UTC of each line. `None` where zones come in turns, as
    /// in a log that several programs write.
    pub fn written(mut lines: Vec<(i64, i32)>) -> Option<Self> {
        lines.sort_unstable();
        let mut out: Vec<Change> = Vec::new();
        let mut before = i64::MIN;
        for (at, zone) in lines {
            let shift = i64::from(zone) * SECOND;
            if out.last().is_none_or(|c| c.shift != shift) {
                let from = if out.is_empty() { i64::MIN } else { between(before, at) };
                out.push(Change { from, shift, at: 0, drift: 0.0 });
                if out.len() > 4 {
                    return None;
                }
            }
            before = at;
        }
        (!out.is_empty()).then_some(Self(out))
    }

    /// The same with a skew, and its drift, added everywhere.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        // Skews have one stretch unless somebody set the clock; zones have few. Both kinds of change count.
        let mut out: Vec<Change> = Vec::new();
        let mut starts: Vec<i64> = self.0.iter().chain(&other.0).map(|c| c.from).collect();
        starts.sort_unstable();
        starts.dedup();
        for from in starts {
            if let (Some(a), Some(b)) = (self.at(from), other.at(from)) {
                out.push(Change { from, shift: a.shift + b.shift, at: b.at, drift: a.drift + b.drift });
            }
        }
        self.0 = out;
        self
    }

    fn at(&self, moment: i64) -> Option<&Change> {
        self.0.iter().rev().find(|c| c.from <= moment)
    }

    /// Which stretches a stated time may lie in, by index.
    fn fits(&self, stated: i64) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().filter_map(move |(k, c)| {
            let moment = stated.saturating_sub(c.shift);
            let ends = self.0.get(k + 1).map_or(i64::MAX, |n| n.from);
            (c.from <= moment && moment < ends).then_some(k)
        })
    }

    /// The stretch nearest to a time that no clock showed.
    fn nearest(&self, stated: i64) -> usize {
        (1..self.0.len()).rev().find(|&k| self.0.get(k).is_some_and(|c| c.from <= stated.saturating_sub(c.shift))).unwrap_or(0)
    }

    /// Pieces for the lines of a file: number and stated time, in order of line.
    pub fn lay(&self, lines: &[(u64, i64)], pairs: &[Pair]) -> Vec<Piece> {
        let mut label: Vec<Option<usize>> = lines
            .iter()
            .map(|&(_, stated)| {
                let mut fits = self.fits(stated);
                match (fits.next(), fits.next()) {
                    (Some(_), Some(_)) => None,
                    (Some(k), None) => Some(k),
                    _ => Some(self.nearest(stated)),
                }
            })
            .collect();
        let mut at = 0;
        while at < lines.len() {
            if label.get(at).is_some_and(Option::is_some) {
                at += 1;
                continue;
            }
            let end = (at..lines.len()).find(|&i| label.get(i).is_some_and(Option::is_some)).unwrap_or(lines.len());
            self.settle(lines, pairs, &mut label, at, end);
            at = end;
        }
        let mut out: Vec<(Option<usize>, Piece)> = Vec::new();
        for (&(line, stated), label) in lines.iter().zip(&label) {
            match out.last_mut() {
                Some((last, piece)) if last == label => {
                    piece.stated = (piece.stated.0.min(stated), piece.stated.1.max(stated));
                }
                _ => {
                    let change = label.and_then(|k| self.0.get(k));
                    let from_line = if out.is_empty() { 0 } else { line };
                    out.push((
                        *label,
                        Piece {
                            from_line,
                            stated: (stated, stated),
                            shift_ns: change.map(|c| c.shift),
                            at_ns: change.map_or(0, |c| c.at + c.shift),
                            drift: change.map_or(0.0, |c| c.drift),
                        },
                    ));
                }
            }
        }
        out.into_iter().map(|(_, piece)| piece).collect()
    }

    /// Lines `from..to` stand in an hour that came twice.
    fn settle(&self, lines: &[(u64, i64)], pairs: &[Pair], label: &mut [Option<usize>], from: usize, to: usize) {
        let Some(&(_, first)) = lines.get(from) else { return };
        let mut fits = self.fits(first);
        let (Some(a), Some(b)) = (fits.next(), fits.next()) else { return };
        let (Some(early), Some(late)) = (self.0.get(a), self.0.get(b)) else { return };
        let half = (early.shift - late.shift).abs() / 2;
        let stated = |i: usize| lines.get(i).map(|l| l.1);
        let jumps = |i: usize| i.checked_sub(1).and_then(stated).zip(stated(i)).is_some_and(|(x, y)| x - y > half);
        let known = |i: Option<usize>, label: &[Option<usize>]| i.and_then(|i| label.get(i).copied().flatten());
        let turn = if let Some(turn) = (from..=to.min(lines.len().saturating_sub(1))).find(|&i| jumps(i)) {
            Some(turn)
        } else if known(from.checked_sub(1), label) == Some(b) {
            Some(from)
        } else if known(Some(to), label) == Some(a) {
            Some(to)
        } else {
            // Nothing jumps: all belong to one of the two, and pairs may know which.
            let span = lines.get(from).zip(to.checked_sub(1).and_then(|i| lines.get(i))).map(|(x, y)| (x.0, y.0));
            let votes = |c: &Change| -> f64 {
                let inside = |p: &&Pair| span.is_some_and(|(x, y)| (x..=y).contains(&p.line));
                let slack = 120 * SECOND;
                pairs.iter().filter(inside).filter(|p| p.lo - slack <= c.shift && c.shift <= p.hi + slack).map(|p| p.weight).sum()
            };
            let (x, y) = (votes(early), votes(late));
            if x >= 1.0 && x >= 2.0 * y {
                Some(to)
            } else if y >= 1.0 && y >= 2.0 * x {
                Some(from)
            } else {
                None
            }
        };
        if let Some(turn) = turn {
            for (i, slot) in label.iter_mut().enumerate().take(to).skip(from) {
                *slot = Some(if i < turn { a } else { b });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BERLIN: ZoneSpec = ZoneSpec::Named(chrono_tz::Europe::Berlin);

    fn utc(text: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_nanos_opt().unwrap()
    }

    /// Local digits as if they were UTC.
    fn civil(text: &str) -> i64 {
        utc(&format!("{text}Z"))
    }

    fn shifts(timeline: &Timeline, times: &[&str], pairs: &[Pair]) -> Vec<Option<i64>> {
        let lines: Vec<(u64, i64)> = (1..).zip(times).map(|(i, t)| (i, civil(t))).collect();
        let clock = Clock { pieces: timeline.lay(&lines, pairs), ..Clock::constant(0, 0, super::super::How::Given) };
        lines.iter().map(|&(line, stated)| clock.shift_of(line, stated).map(|s| s / HOUR)).collect()
    }

    fn berlin() -> Timeline {
        Timeline::zone(&BERLIN, utc("2026-10-20T00:00:00Z"), utc("2026-10-30T00:00:00Z"))
    }

    #[test]
    fn a_named_zone_changes_at_its_hour() {
        let changes: Vec<(i64, i64)> = berlin().0.iter().map(|c| (c.from, c.shift / HOUR)).collect();
        assert_eq!(changes, [(i64::MIN, 2), (utc("2026-10-25T01:00:00Z"), 1)]);
    }

    #[test]
    fn a_jump_back_tells_the_second_time_from_the_first() {
        let times = ["2026-10-25T01:50:00", "2026-10-25T02:10:00", "2026-10-25T02:50:00", "2026-10-25T02:05:00", "2026-10-25T03:10:00"];
        assert_eq!(shifts(&berlin(), &times, &[]), [2, 2, 2, 1, 1].map(Some));
    }

    #[test]
    fn without_a_jump_it_is_not_known_unless_pairs_tell() {
        let times = ["2026-10-25T01:50:00", "2026-10-25T02:10:00", "2026-10-25T02:50:00", "2026-10-25T03:10:00"];
        assert_eq!(shifts(&berlin(), &times, &[]), [Some(2), None, None, Some(1)]);
        let pair = Pair { lo: HOUR - SECOND, hi: HOUR + SECOND, weight: 1.0, line: 3, stated: civil("2026-10-25T02:50:00") };
        assert_eq!(shifts(&berlin(), &times, &[pair]), [2, 1, 1, 1].map(Some));
    }

    #[test]
    fn the_hour_that_never_was_and_the_turn_forward() {
        let spring = Timeline::zone(&BERLIN, utc("2026-03-28T00:00:00Z"), utc("2026-03-30T00:00:00Z"));
        let times = ["2026-03-29T01:59:59", "2026-03-29T03:00:01"];
        assert_eq!(shifts(&spring, &times, &[]), [Some(1), Some(2)]);
        assert!(shifts(&spring, &["2026-03-29T02:30:00"], &[]).iter().all(Option::is_some));
    }

    #[test]
    fn zones_written_in_lines_give_the_change_unless_they_take_turns() {
        let at = |text: &str| utc(text);
        let lines = vec![(at("2026-10-25T00:50:00Z"), 7200), (at("2026-10-25T01:20:00Z"), 3600), (at("2026-10-25T00:10:00Z"), 7200)];
        let found = Timeline::written(lines).unwrap();
        assert_eq!(found.0.iter().map(|c| c.from).collect::<Vec<_>>(), [i64::MIN, utc("2026-10-25T01:00:00Z")]);
        let turns = (0..10).map(|i| (i * SECOND, if i % 2 == 0 { 0 } else { 3600 })).collect();
        assert_eq!(Timeline::written(turns), None);
    }
}
