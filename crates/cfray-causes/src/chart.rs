//! Incidents by cause over all traffic.

use crate::brief::Brief;
use cfray_model::report::{Bucket, Timeline};
use cfray_model::{Cause, EdgeCounters};
use std::collections::BTreeMap;

/// Fewer bars than this.
const BARS: i64 = 150;
/// Widths of a bar in seconds: what people count time in.
const WIDTHS: [i64; 18] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800];

/// Buckets over the whole span, as narrow as [`BARS`] and the resolution of the traffic allow.
pub fn timeline(rows: &[Brief], counters: &EdgeCounters) -> Timeline {
    let times = rows.iter().filter_map(|r| r.start).map(|s| s.secs());
    let traffic = || counters.traffic.buckets();
    let first = times.clone().chain(traffic().next().map(|(start, _)| start)).min();
    let last = times.chain(traffic().next_back().map(|(start, _)| start)).max();
    let (Some(first), Some(last)) = (first, last) else { return Timeline::default() };
    let finest = counters.traffic.width_s();
    let bucket_s = WIDTHS.into_iter().find(|w| w % finest == 0 && last.div_euclid(*w) - first.div_euclid(*w) < BARS).unwrap_or(4 * 604_800);
    let mut buckets: BTreeMap<i64, (u64, BTreeMap<Cause, u64>)> = BTreeMap::new();
    let start = first.div_euclid(bucket_s);
    // A row with a wild time must not make an endless chart.
    for b in start..=last.div_euclid(bucket_s).min(start + 2 * BARS) {
        buckets.entry(b).or_default();
    }
    for (second, n) in traffic() {
        buckets.entry(second.div_euclid(bucket_s)).or_default().0 += n;
    }
    for r in rows {
        if let Some(s) = r.start {
            *buckets.entry(s.secs().div_euclid(bucket_s)).or_default().1.entry(r.cause()).or_default() += 1;
        }
    }
    let buckets = buckets
        .into_iter()
        .map(|(b, (requests, causes))| Bucket { start_s: b * bucket_s, requests, causes: causes.into_iter().collect() })
        .collect();
    Timeline { bucket_s, buckets }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn width(span_s: i64, every_s: i64) -> i64 {
        let mut counters = EdgeCounters::default();
        for second in (0..span_s).step_by(every_s.unsigned_abs() as usize) {
            counters.traffic.add(1_795_341_731 + second, 3);
        }
        let timeline = timeline(&[], &counters);
        assert_eq!(timeline.buckets.iter().map(|b| b.requests).sum::<u64>(), counters.traffic.total());
        assert!(timeline.buckets.len() <= BARS as usize, "{}", timeline.buckets.len());
        timeline.bucket_s
    }

    #[test]
    fn bars_follow_the_span() {
        assert_eq!(width(60, 1), 1);
        assert_eq!(width(600, 1), 5);
        assert_eq!(width(3600, 1), 30);
        assert_eq!(width(86_400, 1), 600);
        assert_eq!(width(86_400, 60), 600);
        assert_eq!(width(7 * 86_400, 10), 7200);
        assert_eq!(width(365 * 86_400, 600), 604_800);
    }
}
