//! Shifts that change within a file: steps and drift, measured from pairs.
//!
//! Pairs in order of line are cut into chunks, each chunk gives an estimate of its own. Estimates that lie on a
//! line are a drift (Theil–Sen: the median of slopes, which a false chunk cannot move); a jump between chunks
//! that lasts is a step, and the pairs around it say at which line. Whatever it finds has to explain more
//! pairs than one constant shift does.

use super::estimate::{Measured, Pair, estimate, estimate_moved};
use super::{Clock, How, Piece, split};
use cfray_model::time::SECOND;
use rayon::prelude::*;

/// Weight of the pairs in a chunk, at least.
const CHUNK: usize = 16;
/// Chunks, at most.
const CHUNKS: usize = 48;
/// A drift needs so long a stretch of stated time, in seconds: over less it hides in the stamps' ticks.
const DRIFT_SPAN_S: i64 = 1200;
/// Steepest drift that is believed, in seconds an hour. Quartz keeps within 1 (100 ppm is 0.36); virtual machines that
/// lose ticks do worse.
const STEEPEST: f64 = 60.0;
/// A jump of less is left to drift and ticks.
const LEAST_STEP: i64 = 3 * SECOND;

struct Chunk {
    /// Range of pairs, by position.
    from: usize,
    to: usize,
    /// Median stated time.
    at: i64,
    shift: i64,
    error: i64,
}

/// Lines of one file are written in order, up to how long requests take.
const BACKWARDS: i64 = 30 * SECOND;

/// The clock that pairs show. `rays`: they are tied by ray, so that nearly all are true.
pub fn fit(mut pairs: Vec<Pair>, rays: bool) -> Option<Clock> {
    pairs.par_sort_by_key(|p| (p.line, p.stated, p.lo, p.hi));
    let whole = estimate(&pairs);
    let how = |weight: f64| if rays { How::Rays(weight.round() as u32) } else { How::Requests(weight.round() as u32) };
    let weight = whole.map_or(0.0, |m| m.2);
    if let Some((pieces, error, better)) = pieces(&pairs, rays)
        && better >= (weight * 1.05).max(weight + 5.0)
    {
        let longest = pieces.iter().max_by_key(|p| (p.stated.1 - p.stated.0, std::cmp::Reverse(p.from_line)))?;
        return Some(Clock { shift_ns: longest.shift_ns?, error_ns: error, how: how(better), pieces });
    }
    let (shift_ns, error_ns, weight) = whole?;
    Some(Clock::constant(shift_ns, error_ns, how(weight)))
}

/// Pieces, the widest error among them, and the weight of pairs that they explain. `None` where one constant shift is
/// all that can be said.
fn pieces(pairs: &[Pair], rays: bool) -> Option<(Vec<Piece>, i64, f64)> {
    let chunks = chunks(pairs);
    let runs = runs(&chunks, rays);
    let mut starts = vec![0];
    for pair in runs.windows(2) {
        if let [a, b] = pair {
            starts.push(turn(pairs, chunks.get(*a.last()?)?, chunks.get(*b.first()?)?));
        }
    }
    let mut out: Vec<Piece> = Vec::new();
    let (mut error, mut weight) = (0, 0.0);
    for (at, run) in runs.iter().enumerate() {
        let from = *starts.get(at)?;
        let to = starts.get(at + 1).copied().unwrap_or(pairs.len());
        let part = pairs.get(from..to).filter(|p| !p.is_empty())?;
        let own: Vec<&Chunk> = run.iter().filter_map(|&c| chunks.get(c)).collect();
        let (drift, at_ns, (shift, wide, heavy)) = straight(part, &own)?;
        error = error.max(wide);
        weight += heavy;
        let stated = (part.iter().map(|p| p.stated).min()?, part.iter().map(|p| p.stated).max()?);
        let from_line = if at == 0 { 0 } else { part.first()?.line };
        out.push(Piece { from_line, stated, shift_ns: Some(shift), at_ns, drift });
    }
    // A clock may jump, time itself does not: lines that would go back by more than requests take are somebody's edit
    // or two files in one.
    let ends = |p: &Piece| p.shift_ns.map(|shift| (p.stated.0 - shift, p.stated.1 - shift));
    for pair in out.windows(2) {
        if let [a, b] = pair
            && ends(b)?.0 + BACKWARDS < ends(a)?.1
        {
            return None;
        }
    }
    let plain = out.len() == 1 && out.first().is_some_and(|p| p.drift == 0.0);
    (!plain && !out.is_empty()).then_some((out, error, weight))
}

/// Pairs of a line that fits several rows weigh less, so chunks are cut by weight.
fn chunks(pairs: &[Pair]) -> Vec<Chunk> {
    let total: f64 = pairs.iter().map(|p| p.weight).sum();
    let size = (total / CHUNKS as f64).max(CHUNK as f64);
    let mut out = Vec::new();
    let (mut from, mut weight, mut rest) = (0, 0.0, total);
    for (i, pair) in pairs.iter().enumerate() {
        weight += pair.weight;
        rest -= pair.weight;
        let to = i + 1;
        // What is left after it has to make a chunk of its own.
        if weight < size || (rest < size && to < pairs.len()) {
            continue;
        }
        if let Some(part) = pairs.get(from..to)
            && let Some((shift, error, _)) = estimate(part)
        {
            let mut times: Vec<i64> = part.iter().map(|p| p.stated).collect();
            times.sort_unstable();
            out.push(Chunk { from, to, at: times.get(times.len() / 2).copied().unwrap_or(0), shift, error });
        }
        (from, weight) = (to, 0.0);
    }
    out
}

/// Chunks between steps, by index. A chunk that stands alone against its neighbours is left out.
fn runs(chunks: &[Chunk], rays: bool) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for (i, chunk) in chunks.iter().enumerate() {
        let last = runs.last().and_then(|r| r.last()).and_then(|&l| chunks.get(l));
        let joins = last.is_some_and(|last| !is_step(last, chunk, rays));
        match runs.last_mut() {
            Some(run) if joins => run.push(i),
            _ => runs.push(vec![i]),
        }
    }
    // What does not last is a false estimate: drop it and join what then fits.
    let least = if rays { 1 } else { 2 };
    let mut out: Vec<Vec<usize>> = Vec::new();
    let inner = |at: usize, n: usize| at > 0 && at + 1 < n;
    let n = runs.len();
    for (at, run) in runs.into_iter().enumerate() {
        if run.len() < least || (run.len() == 1 && inner(at, n)) {
            continue;
        }
        let joins = out.last().and_then(|r| r.last()).zip(run.first()).is_some_and(|(&a, &b)| match (chunks.get(a), chunks.get(b)) {
            (Some(a), Some(b)) => !is_step(a, b, rays),
            _ => false,
        });
        match out.last_mut() {
            Some(last) if joins => last.extend(run),
            _ => out.push(run),
        }
    }
    out
}

/// More than a believable drift between two chunks. Pairs by request may be off by a habit of visitors (a retry a few
/// seconds later), so of those only turns by whole quarters of an hour count.
fn is_step(a: &Chunk, b: &Chunk, rays: bool) -> bool {
    let by = b.shift - a.shift;
    let drift = (STEEPEST / 3600.0 * (b.at - b.shift - a.at + a.shift).abs() as f64) as i64;
    if by.abs() <= LEAST_STEP.max(a.error + b.error) + drift {
        return false;
    }
    let (zone, rest) = split(by);
    rays || (zone != 0 && rest.abs() <= 2 * SECOND + drift)
}

/// Position of the first pair after a step: where the fewest pairs stand on the wrong side.
fn turn(pairs: &[Pair], a: &Chunk, b: &Chunk) -> usize {
    let fits = |p: &Pair, c: &Chunk| if p.lo - c.error <= c.shift && c.shift <= p.hi + c.error { p.weight } else { 0.0 };
    let zone = pairs.get(a.from..b.to).unwrap_or_default();
    let mut score: f64 = zone.iter().map(|p| fits(p, b)).sum();
    let (mut best, mut at) = (score, a.from);
    for (i, p) in zone.iter().enumerate() {
        score += fits(p, a) - fits(p, b);
        if score > best {
            (best, at) = (score, a.from + i + 1);
        }
    }
    at
}

/// A constant shift, or one that drifts if that explains clearly more.
fn straight(pairs: &[Pair], chunks: &[&Chunk]) -> Option<(f64, i64, Measured)> {
    let constant = estimate(pairs);
    let first = pairs.iter().map(|p| p.stated).min()?;
    let last = pairs.iter().map(|p| p.stated).max()?;
    let at_ns = first + (last - first) / 2;
    let weight = constant.map_or(0.0, |m| m.2);
    let span_s = (last - first) / SECOND;
    if span_s >= DRIFT_SPAN_S
        && chunks.len() >= 4
        && let Some((slope, measured)) = drifting(pairs, chunks, at_ns, span_s)
        && measured.2 >= (weight * 1.05).max(weight + 2.0)
    {
        return Some((slope, at_ns, measured));
    }
    Some((0.0, at_ns, constant?))
}

fn drifting(pairs: &[Pair], chunks: &[&Chunk], at_ns: i64, span_s: i64) -> Option<(f64, Measured)> {
    let mut slopes: Vec<f64> = Vec::new();
    for (i, a) in chunks.iter().enumerate() {
        for b in chunks.iter().skip(i + 1).filter(|b| b.at != a.at) {
            slopes.push((b.shift - a.shift) as f64 / ((b.at - a.at) as f64 / SECOND as f64));
        }
    }
    slopes.sort_by(f64::total_cmp);
    let middle = *slopes.get(slopes.len() / 2)?;
    // The median is as good as the chunks; the pairs themselves say the rest.
    let step = 0.25 * SECOND as f64 / span_s as f64;
    let tried = (-10i32..=10).into_par_iter().filter_map(|k| {
        let slope = middle + f64::from(k) * step;
        // The pairs with the drift taken out.
        let moved = |p: &Pair| (slope * (p.stated - at_ns) as f64 / SECOND as f64) as i64;
        (slope.abs() * 3600.0 <= STEEPEST * SECOND as f64).then(|| Some((slope, estimate_moved(pairs, moved)?)))?
    });
    let tried: Vec<(f64, Measured)> = tried.collect();
    let most = tried.iter().map(|t| t.1.2).max_by(f64::total_cmp)?;
    // Of slopes that explain as much, the middle one.
    let best: Vec<&(f64, Measured)> = tried.iter().filter(|t| t.1.2 >= most - 1e-6).collect();
    best.get(best.len() / 2).map(|b| **b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// One pair a line: `true_s` the true second, `shift` what the clock is ahead, stamps of whole seconds.
    fn pair(line: u64, true_s: f64, shift: f64) -> Pair {
        let s = |x: f64| (x * SECOND as f64) as i64;
        let stated = (true_s + shift).floor();
        // The request took 80 ms and was logged 20 ms before its end.
        Pair { lo: s(stated - true_s - 0.02), hi: s(stated + 1.0 - true_s + 0.06), weight: 1.0, line, stated: s(stated) }
    }

    fn off(clock: &Clock, p: &Pair, wanted: f64) -> f64 {
        (clock.shift_of(p.line, p.stated).unwrap() as f64 / SECOND as f64 - wanted).abs()
    }

    #[test]
    fn a_drift_over_hours_is_followed() {
        let true_shift = |t: f64| -30.0 + 2.0 * t / 3600.0;
        let pairs: Vec<Pair> = (0..600u32).map(|i| (i, f64::from(i) * 36.37)).map(|(i, t)| pair(i.into(), t, true_shift(t))).collect();
        let clock = fit(pairs.clone(), true).expect("a clock");
        assert!((clock.drift_s_per_hour() - 2.0).abs() < 0.1, "{}", clock.drift_s_per_hour());
        for (i, p) in pairs.iter().enumerate() {
            assert!(off(&clock, p, true_shift(i as f64 * 36.37)) < 0.6, "{i}");
        }
    }

    #[test]
    fn false_pairs_make_no_drift_and_no_step() {
        let mut pairs: Vec<Pair> = (0..400u32).map(|i| pair(i.into(), f64::from(i) * 20.3, 19_800.0)).collect();
        // Every line fits a second row that is just as likely, at any distance.
        let others: Vec<Pair> = pairs
            .iter()
            .enumerate()
            .map(|(i, p)| {
                let by = ((i * 7919) % 5000) as i64 * SECOND - 2500 * SECOND;
                Pair { lo: p.lo + by, hi: p.hi + by, ..*p }
            })
            .collect();
        pairs.extend(others);
        for p in &mut pairs {
            p.weight = 0.5;
        }
        let clock = fit(pairs, false).expect("a clock");
        assert!(clock.pieces.is_empty() && (clock.shift_ns - 19_800 * SECOND).abs() < SECOND, "{clock:?}");
    }

    #[test]
    fn summer_time_ends_within_the_file() {
        let shift = |t: f64| if t < 5000.0 { 7200.0 } else { 3600.0 };
        for rays in [true, false] {
            let pairs: Vec<Pair> = (0..300u32).map(|i| (i, f64::from(i) * 33.1)).map(|(i, t)| pair(i.into(), t, shift(t) + 12.0)).collect();
            let clock = fit(pairs.clone(), rays).expect("a clock");
            assert_eq!(clock.pieces.len(), 2, "{clock:?}");
            for (i, p) in pairs.iter().enumerate() {
                assert!(off(&clock, p, shift(i as f64 * 33.1) + 12.0) < 1.0, "{i}: {clock:?}");
            }
            let (at, by) = clock.steps().first().copied().unwrap();
            assert!((by + 3600 * SECOND).abs() < 2 * SECOND && (at - 8612 * SECOND).abs() < 40 * SECOND, "{at} {by}");
        }
    }

    #[test]
    fn a_clock_set_by_hand_is_a_step_by_ray_and_no_matter_of_visitors_habits_by_request() {
        let shift = |t: f64| if t < 3000.0 { 40.0 } else { 0.0 };
        let pairs: Vec<Pair> = (0..200u32).map(|i| (i, f64::from(i) * 33.1)).map(|(i, t)| pair(i.into(), t, shift(t))).collect();
        assert_eq!(fit(pairs.clone(), true).expect("a clock").pieces.len(), 2);
        assert!(fit(pairs, false).is_none_or(|c| c.pieces.len() < 2));
    }
}
