//! Robust estimate of a shift from pairs of a log line and an edge row.

use cfray_model::time::SECOND;

/// One pair: the shift lies in `[lo, hi]` if the line belongs to the row.
///
/// A server handles a request between the edge's start and end, so a line's true time lies in
/// `[start, end]`, and `stated - true` in `[stated - end, stated - start]` widened by the ticks.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// Lower bound of the shift, nanoseconds.
    pub lo: i64,
    /// Upper bound.
    pub hi: i64,
    /// 1 / number of rows that the line could belong to.
    pub weight: f64,
    /// Line of the file.
    pub line: u64,
    /// Stated time of the line.
    pub stated: i64,
}

/// Widest shift that is believed: zones reach from -12 h to +14 h.
const WIDEST: i64 = 15 * 3600 * SECOND;

/// A measured shift: (shift, half width, supporting weight).
pub type Measured = (i64, i64, f64);

/// The shift that most pairs allow: the point covered by the greatest weight of intervals.
///
/// False pairs spread over the whole span while true pairs pile up on one point, so neither needs to
/// be told apart beforehand. `None` unless at least 5 (weighted) pairs agree and no rival shift more
/// than 2 s away has two thirds of that weight.
pub fn estimate(pairs: &[Pair]) -> Option<Measured> {
    estimate_moved(pairs, |_| 0)
}

/// The same after each pair was moved back by what `by` says of it.
pub fn estimate_moved(pairs: &[Pair], by: impl Fn(&Pair) -> i64) -> Option<Measured> {
    let moved = || {
        pairs.iter().filter_map(|p| {
            let by = by(p);
            let (lo, hi) = (p.lo - by, p.hi - by);
            (hi >= -WIDEST && lo <= WIDEST && hi >= lo).then_some((lo, hi, p.weight))
        })
    };
    let weight = moved().next()?.2;
    let profile = if moved().all(|p| p.2 == weight) { equals(moved(), weight, pairs.len()) } else { mixed(moved(), pairs.len()) };
    let best = profile.iter().enumerate().max_by(|a, b| a.1.1.total_cmp(&b.1.1).then(b.0.cmp(&a.0)))?;
    let peak = best.1.1;
    if peak < 4.99 {
        return None;
    }
    // The plateau around the peak where at least 95 % of its weight still agrees.
    let level = peak * 0.95 - 1e-9;
    let mut from = best.0;
    while from > 0 && profile[from - 1].1 >= level {
        from -= 1;
    }
    let mut to = best.0;
    while to + 1 < profile.len() && profile[to].1 >= level {
        to += 1;
    }
    let (lo, hi) = (profile[from].0, profile[to].0);
    let rival = profile.iter().filter(|(at, _)| *at < lo - 2 * SECOND || *at > hi + 2 * SECOND).map(|(_, h)| *h).fold(0.0, f64::max);
    if rival > peak * 0.67 {
        return None;
    }
    Some((lo + (hi - lo) / 2, ((hi - lo) / 2).max(SECOND / 1000), peak))
}

/// How many pairs allow a shift, at each shift at which that changes.
type Profile = Vec<(i64, f64)>;

/// Of pairs of any weight.
fn mixed(pairs: impl Iterator<Item = (i64, i64, f64)>, at_most: usize) -> Profile {
    let mut edges: Vec<(i64, bool, f64)> = Vec::with_capacity(at_most * 2);
    for (lo, hi, weight) in pairs {
        edges.push((lo, true, weight));
        edges.push((hi, false, weight));
    }
    // Openings before closings at the same point: closed intervals that touch do agree.
    edges.sort_unstable_by(|a, b| (a.0, !a.1).cmp(&(b.0, !b.1)).then(a.2.total_cmp(&b.2)));
    let mut height = 0.0;
    let mut profile = Vec::with_capacity(edges.len());
    for &(at, opens, weight) in &edges {
        height += if opens { weight } else { -weight };
        profile.push((at, height));
    }
    profile
}

/// The same of pairs of one weight, as nearly all by ray are: numbers alone are sorted in a fraction of the time.
fn equals(pairs: impl Iterator<Item = (i64, i64, f64)>, weight: f64, at_most: usize) -> Profile {
    let (mut opening, mut closing) = (Vec::with_capacity(at_most), Vec::with_capacity(at_most));
    for (lo, hi, _) in pairs {
        opening.push(lo);
        closing.push(hi);
    }
    opening.sort_unstable();
    closing.sort_unstable();
    let mut height = 0.0;
    let mut profile = Vec::with_capacity(opening.len() * 2);
    let mut opening = opening.into_iter().peekable();
    for end in closing {
        while let Some(start) = opening.next_if(|start| *start <= end) {
            height += weight;
            profile.push((start, height));
        }
        height -= weight;
        profile.push((end, height));
    }
    profile
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn pair(shift_s: f64, width_s: f64) -> Pair {
        let s = |x: f64| (x * SECOND as f64) as i64;
        Pair { lo: s(shift_s - width_s / 2.0), hi: s(shift_s + width_s / 2.0), weight: 1.0, line: 0, stated: 0 }
    }

    #[test]
    fn finds_the_common_shift_among_false_pairs() {
        let mut pairs: Vec<Pair> = (0..20).map(|i| pair(19_840.0 + f64::from(i % 5) * 0.2 - 0.4, 2.0)).collect();
        pairs.extend((0..60).map(|i| pair(f64::from(i) * 37.0 - 900.0, 2.0)));
        let (shift, error, weight) = estimate(&pairs).expect("agreement");
        assert!((shift - 19_840 * SECOND).abs() < SECOND, "{shift}");
        assert!(error < SECOND && weight >= 19.0);
    }

    #[test]
    fn pairs_of_one_weight_give_the_same_profile() {
        let pairs = || (0..500i64).map(|i| ((i * 7919) % 400, (i * 7919) % 400 + (i * 31) % 50, 0.3));
        assert_eq!(equals(pairs(), 0.3, 500), mixed(pairs(), 500));
    }

    #[test]
    fn too_few_or_rival_shifts_give_none() {
        assert!(estimate(&[pair(0.0, 1.0); 4]).is_none());
        let mut pairs = vec![pair(0.0, 1.0); 10];
        pairs.extend(vec![pair(100.0, 1.0); 9]);
        assert!(estimate(&pairs).is_none());
    }
}
