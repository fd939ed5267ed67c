//! Requests over time, as finely as the span allows.

use serde::Serialize;
use std::collections::BTreeMap;

/// Widths of a bucket in seconds. Each is a multiple of the one before, so that counts can be added up
/// into the next without loss.
const WIDTHS: [i64; 10] = [1, 5, 15, 60, 300, 900, 3600, 21_600, 86_400, 604_800];
/// Most buckets. Two busy hours by the second, five busy days by the minute.
const MOST: usize = 7200;

/// Number of rows by time. The width of a bucket is the smallest for which there are not too many of
/// them, which depends on the set of rows only: adding and merging may happen in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Index into `WIDTHS`.
    level: usize,
    /// Rows by start of the bucket divided by its width.
    counts: BTreeMap<i64, u64>,
}

impl Traffic {
    /// Width of a bucket in seconds.
    pub fn width_s(&self) -> i64 {
        WIDTHS.get(self.level).copied().unwrap_or(604_800)
    }

    /// Start of each bucket in epoch seconds with its rows, in time order.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = (i64, u64)> + '_ {
        let width = self.width_s();
        self.counts.iter().map(move |(at, rows)| (at.saturating_mul(width), *rows))
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Adds rows that started in this second.
    pub fn add(&mut self, second: i64, rows: u64) {
        *self.counts.entry(second.div_euclid(self.width_s())).or_default() += rows;
        self.settle();
    }

    /// Takes rows back out. The width stays as it was with the row.
    pub fn take(&mut self, second: i64, rows: u64) {
        let at = second.div_euclid(self.width_s());
        if let Some(left) = self.counts.get_mut(&at) {
            *left = left.saturating_sub(rows);
            if *left == 0 {
                self.counts.remove(&at);
            }
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.widen(other.level);
        let width = self.width_s();
        for (second, rows) in other.buckets() {
            *self.counts.entry(second.div_euclid(width)).or_default() += rows;
        }
        self.settle();
    }

    fn settle(&mut self) {
        while self.counts.len() > MOST && self.level + 1 < WIDTHS.len() {
            self.widen(self.level + 1);
        }
    }

    fn widen(&mut self, level: usize) {
        if level <= self.level {
            return;
        }
        let from = self.width_s();
        self.level = level;
        let to = self.width_s();
        let mut wide = BTreeMap::new();
        for (at, rows) in std::mem::take(&mut self.counts) {
            *wide.entry(at.saturating_mul(from).div_euclid(to)).or_default() += rows;
        }
        self.counts = wide;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row now and then over `days`, and what adding it in another order leaves.
    fn counted(seconds: impl Iterator<Item = i64>) -> Traffic {
        let mut traffic = Traffic::default();
        for second in seconds {
            traffic.add(second, 1);
        }
        traffic
    }

    #[test]
    fn widths_are_multiples() {
        assert!(WIDTHS.windows(2).all(|w| w.first().zip(w.last()).is_some_and(|(a, b)| b > a && b % a == 0)));
    }

    #[test]
    fn short_spans_are_counted_by_the_second() {
        let traffic = counted([10, 11, 11, 75, -3].into_iter());
        assert_eq!(traffic.width_s(), 1);
        assert_eq!(traffic.buckets().collect::<Vec<_>>(), [(-3, 1), (10, 1), (11, 2), (75, 1)]);
    }

    #[test]
    fn order_and_parts_do_not_matter() {
        let start = 1_795_341_731;
        for n in [100, 7200, 7201, 20_000, 400_000] {
            let seconds = || (0..n).map(|i| start + i * 7 % n);
            let whole = counted(seconds());
            assert_eq!(whole.total(), n as u64);
            assert_eq!(whole, counted(seconds().rev()), "{n}");
            let mut merged = counted(seconds().filter(|s| s % 3 == 0));
            merged.merge(&counted(seconds().filter(|s| s % 3 == 1)));
            let mut other = counted(seconds().filter(|s| s % 3 == 2));
            other.merge(&merged);
            assert_eq!(whole, other, "{n}");
            assert!(whole.buckets().count() <= MOST);
        }
        assert_eq!(counted((0..7200).map(|s| start + s)).width_s(), 1);
        assert_eq!(counted((0..7201).map(|s| start + s)).width_s(), 5);
    }

    #[test]
    fn a_row_can_be_taken_back() {
        let mut traffic = counted([10, 10, 12].into_iter());
        traffic.take(10, 1);
        traffic.take(12, 1);
        traffic.take(99, 1);
        assert_eq!(traffic.buckets().collect::<Vec<_>>(), [(10, 1)]);
    }
}
