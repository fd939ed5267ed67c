//! How much longer than a round trip requests took that the server closed on.
//!
//! A rule closes at once: the close comes back after one round trip, as a handshake does. An application that failed behind the
//! close had run before. Few milliseconds of it drown in what ways differ by, unless many closes are compared with many handshakes of the
//! same colos.

use crate::join::trips::RoundTrip;
use crate::join::world::World;
use std::collections::BTreeMap;

/// What closes took beyond one round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Median, in milliseconds.
    pub ms: i64,
    /// They came later than handshakes of the same colos, and by no chance.
    pub proven: bool,
}

/// One incident's time to the close, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Took<'w> {
    beyond: i64,
    /// The time itself, and the round trip that it compares with.
    ranked: Option<(i64, &'w RoundTrip)>,
}

/// By fact.
#[derive(Debug, Default)]
pub struct Lateness<'w> {
    by: BTreeMap<u32, Took<'w>>,
}

impl<'w> Lateness<'w> {
    /// Of all incidents whose colo's round trip is known.
    pub fn of_incidents(w: &'w World) -> Self {
        let rows = w.edge.incidents.iter().zip(&w.incident_fact);
        let by = rows.filter_map(|(row, fact)| {
            let trip = w.trips.of(row)?;
            let took = row.header_ms.or(row.duration_ms)?;
            // The whole duration holds the handshake of a new connection.
            let ranked = row.header_ms.map(|ms| (ms, trip));
            Some(((*fact)?, Took { beyond: (took as f64 - trip.median_ms).round() as i64, ranked }))
        });
        Self { by: by.collect() }
    }

    /// Of some of them together; `None` where no round trip is known.
    pub fn of(&self, facts: impl Iterator<Item = u32>) -> Option<Late> {
        let took: Vec<&Took<'w>> = facts.filter_map(|fact| self.by.get(&fact)).collect();
        let mut beyond: Vec<i64> = took.iter().map(|t| t.beyond).collect();
        beyond.sort_unstable();
        let ms = beyond.get(beyond.len() / 2).copied()?;
        Some(Late { ms, proven: later(took.iter().filter_map(|t| t.ranked)) })
    }
}

/// Standard errors by which the ranks have to be apart.
const BY_NO_CHANCE: f64 = 3.3;
/// Share of all pairs in which the close took longer than the handshake.
const MOSTLY: f64 = 0.7;

/// Do the times rank above the handshakes of their own colos? The rank-sum test of Wilcoxon, Mann and Whitney, summed over the colos: ranks
/// because a few long times say nothing, by colo because the ways differ by more than applications do.
fn later<'w>(times: impl Iterator<Item = (i64, &'w RoundTrip)>) -> bool {
    let mut by_trip: BTreeMap<usize, (&RoundTrip, u64, f64)> = BTreeMap::new();
    for (ms, trip) in times {
        let less = trip.sample.partition_point(|h| i64::from(*h) < ms);
        let same = trip.sample.partition_point(|h| i64::from(*h) <= ms) - less;
        let (_, n, above) = by_trip.entry(trip.place).or_insert((trip, 0, 0.0));
        *n += 1;
        *above += less as f64 + 0.5 * same as f64;
    }
    let (mut above, mut pairs, mut variance) = (0.0, 0.0, 0.0);
    for (trip, n, sum) in by_trip.into_values() {
        let (n, m) = (n as f64, trip.sample.len() as f64);
        above += sum;
        pairs += n * m;
        variance += n * m * (n + m + 1.0) / 12.0;
    }
    variance > 0.0 && above >= MOSTLY * pairs && above - 0.5 * pairs >= BY_NO_CHANCE * f64::sqrt(variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trip(median: u16) -> RoundTrip {
        RoundTrip { place: median.into(), median_ms: f64::from(median), sample: (0..21).map(|i| median - 10 + i).collect() }
    }

    #[test]
    fn an_application_s_few_milliseconds_show_in_many() {
        let (near, far) = (trip(20), trip(200));
        let closes = |n: i64, beyond: i64| -> bool {
            // As scattered as the handshakes.
            let all = (0..n).map(|i| if i % 2 == 0 { (20 + beyond + i % 21 - 10, &near) } else { (200 + beyond + i % 21 - 10, &far) });
            later(all)
        };
        assert!(closes(60, 8));
        assert!(!closes(60, 0), "a rule");
        assert!(!closes(60, -5));
        assert!(!closes(4, 8), "too few to tell");
        // Two colos of very different distance are no reason to be late.
        assert!(!later((0..60).map(|i| (if i < 10 { 20 } else { 200 }, if i < 10 { &near } else { &far }))));
        assert!(!later(std::iter::empty()));
    }
}
