//! Which clock each group of lines gets, in the order of trust.

use super::estimate::Pair;
use super::machine::{self, Known};
use super::timeline::Timeline;
use super::{Clock, How, fit};
use crate::join::index::{ClientColumn, ComboKeys, FactIndex, agrees};
use crate::settings::{Settings, ZoneSpec};
use cfray_model::key::spread;
use cfray_model::time::{LATEST_NS, SECOND};
use cfray_model::{Fact, Facts, LineKind, OriginEvent, SourceScan};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Clocks of every source: with and without a zone in the line.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    zoned: Vec<Option<Clock>>,
    unzoned: Vec<Option<Clock>>,
}

impl Clocks {
    /// The clock for one event of a source.
    pub fn of(&self, source: usize, has_zone: bool) -> Option<&Clock> {
        if has_zone { self.zoned.get(source)?.as_ref() } else { self.unzoned.get(source)?.as_ref() }
    }

    /// The clock that speaks for the source as a whole (the better measured of the two).
    pub fn main(&self, source: usize) -> Option<(&Clock, bool)> {
        let zoned = self.zoned.get(source)?.as_ref().map(|c| (c, true));
        let unzoned = self.unzoned.get(source)?.as_ref().map(|c| (c, false));
        match (zoned, unzoned) {
            (Some(a), Some(b)) => Some(if b.0.how < a.0.how { b } else { a }),
            (a, b) => a.or(b),
        }
    }

    fn set(&mut self, source: usize, has_zone: bool, clock: Clock) {
        let list = if has_zone { &mut self.zoned } else { &mut self.unzoned };
        if let Some(slot) = list.get_mut(source) {
            *slot = Some(clock);
        }
    }
}

/// More rows than this for one request key say nothing about a clock.
const MANY: usize = 64;
/// So many pairs by ray tell a clock as well as more would: what limits it are the ticks of the stamps.
const ENOUGH: usize = 1 << 16;
/// What remains beside a zone that the user gave is skew up to half a quarter of an hour.
const SKEW: i64 = 450 * SECOND;
/// Uncertainty of a zone that was given and not measured.
const GIVEN_ERROR: i64 = 2 * SECOND;
/// Uncertainty of a zone that stands in the line and was not measured: servers without NTP are off by seconds.
const STATED_ERROR: i64 = 5 * SECOND;

/// What the clocks are measured with.
pub struct Rows<'a> {
    /// Facts of the edge rows.
    pub facts: &'a Facts,
    /// Hashes of their combos.
    pub keys: &'a [ComboKeys],
    /// Facts by ray and request.
    pub index: &'a FactIndex,
    /// Which sources' client columns can be compared.
    pub columns: &'a [ClientColumn],
}

/// Measures and resolves.
pub fn resolve(scans: &[SourceScan], rows: &Rows<'_>, settings: &Settings) -> Clocks {
    let mut clocks = Clocks { zoned: vec![None; scans.len()], unzoned: vec![None; scans.len()] };
    // Zones that the user gave and no pair confirms: the machine's skew is still to be added.
    let mut bare: Vec<usize> = Vec::new();
    let groups = scans.par_iter().enumerate().flat_map_iter(|(i, scan)| [(i, scan, true), (i, scan, false)]);
    let measured = groups.map(|(i, scan, has_zone)| {
        let (by_ray, by_request) = pairs(group(scan, has_zone), rows, rows.columns.get(i).copied().unwrap_or_default());
        let given = (!has_zone).then(|| settings.zone_of(&scan.info.name)).flatten();
        let clock = match given {
            Some(zone) => Some(with_zone(scan, zone, &by_ray, &by_request)),
            None => fit::fit(by_ray, true).or_else(|| fit::fit(by_request, false)).map(Ok),
        };
        (i, has_zone, clock)
    });
    for (i, has_zone, clock) in measured.collect::<Vec<_>>() {
        if let Some(Err(_)) = clock {
            bare.push(i);
        }
        if let Some(Ok(clock) | Err(clock)) = clock {
            clocks.set(i, has_zone, clock);
        }
    }
    for members in group_by_server(scans).values() {
        for &i in members.iter().filter(|i| bare.contains(i)) {
            add_skew(members, i, &bare, &mut clocks);
        }
        reconcile(scans, members, &mut clocks);
        by_machine(scans, members, &mut clocks);
        borrow(scans, members, &mut clocks);
    }
    clocks
}

fn group_by_server(scans: &[SourceScan]) -> BTreeMap<(&str, &str), Vec<usize>> {
    let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (i, s) in scans.iter().enumerate() {
        groups.entry((&s.info.scope, &s.info.server)).or_default().push(i);
    }
    groups
}

fn group(scan: &SourceScan, has_zone: bool) -> impl Iterator<Item = &OriginEvent> {
    scan.events.iter().map(|e| &**e).filter(move |e| e.time().is_some_and(|t| t.offset_s.is_some() == has_zone))
}

/// Lines of a group in order of line, with their stated times.
fn lines(scan: &SourceScan, has_zone: bool) -> Vec<(u64, i64)> {
    let mut out: Vec<(u64, i64)> = group(scan, has_zone).filter_map(|e| Some((e.at.line, e.time()?.stated_ns()))).collect();
    out.sort_unstable();
    out
}

/// Lays a machine's shifts over a file's lines. One shift needs no pieces.
fn laid(timeline: &Timeline, scan: &SourceScan, has_zone: bool, pairs: &[Pair], error_ns: i64, how: How) -> Clock {
    let plain = |shift| Clock::constant(shift, error_ns, how);
    let main = timeline.0.iter().max_by_key(|c| c.from).map_or(0, |c| c.shift);
    if timeline.0.len() == 1 && timeline.0.iter().all(|c| c.drift == 0.0) {
        return plain(main);
    }
    let pieces = timeline.lay(&lines(scan, has_zone), pairs);
    let longest = pieces.iter().filter(|p| p.shift_ns.is_some()).max_by_key(|p| p.stated.1 - p.stated.0);
    Clock { shift_ns: longest.and_then(|p| p.shift_ns).unwrap_or(main), error_ns, how, pieces }
}

/// The user's zone wins; what remains of a measurement within a few minutes is skew. `Err`: no pair confirms it.
fn with_zone(scan: &SourceScan, zone: &ZoneSpec, by_ray: &[Pair], by_request: &[Pair]) -> Result<Clock, Clock> {
    const DAY: i64 = 86_400 * SECOND;
    let end = |ns: Option<i64>| ns.unwrap_or(0).clamp(0, LATEST_NS);
    let (from, to) = (end(scan.first_ns) - DAY, end(scan.last_ns) + DAY);
    let timeline = Timeline::zone(zone, from, to);
    let all: Vec<Pair> = by_ray.iter().chain(by_request).copied().collect();
    let clock = laid(&timeline, scan, false, &all, GIVEN_ERROR, How::Given);
    for pairs in [by_ray, by_request] {
        let rest: Vec<Pair> = pairs
            .iter()
            .filter_map(|p| {
                let zone = clock.shift_of(p.line, p.stated)?;
                Some(Pair { lo: p.lo - zone, hi: p.hi - zone, stated: p.stated - zone, ..*p })
            })
            .collect();
        if let Some(skew) = fit::fit(rest, true).filter(|skew| skew.shift_ns.abs() < SKEW) {
            let timeline = timeline.clone().plus(&Timeline::of(&skew));
            return Ok(laid(&timeline, scan, false, &all, skew.error_ns, How::Given));
        }
    }
    Err(clock)
}

/// Sources of one server share the skew.
fn add_skew(members: &[usize], i: usize, bare: &[usize], clocks: &mut Clocks) {
    let measured = members.iter().flat_map(|&j| {
        let unzoned = clocks.of(j, false).filter(|_| !bare.contains(&j));
        clocks.of(j, true).into_iter().chain(unzoned)
    });
    let Some((skew, error_ns)) = measured.min_by_key(|c| (c.how, c.error_ns)).map(|c| (c.split().1, c.error_ns)) else { return };
    let Some(clock) = clocks.unzoned.get_mut(i).and_then(Option::as_mut) else { return };
    clock.shift_ns += skew;
    clock.error_ns = error_ns;
    for piece in &mut clock.pieces {
        piece.shift_ns = piece.shift_ns.map(|s| s + skew);
    }
}

/// About [`ENOUGH`] of the pairs by ray, evenly by line number: that depends on the lines alone, not on who read them. Pairs by request stay:
/// a few true ones may stand among many false.
fn enough(mut by_ray: Vec<Pair>) -> Vec<Pair> {
    if by_ray.len() > ENOUGH {
        let below = u64::MAX / by_ray.len() as u64 * ENOUGH as u64;
        by_ray.retain(|pair| spread(pair.line) <= below);
    }
    by_ray
}

/// Pairs by ray and pairs by request.
fn pairs<'a>(events: impl Iterator<Item = &'a OriginEvent>, rows: &Rows<'_>, column: ClientColumn) -> (Vec<Pair>, Vec<Pair>) {
    let (mut by_ray, mut by_request) = (Vec::new(), Vec::new());
    for e in events {
        let Some(time) = e.time() else { continue };
        if !matches!(e.kind, LineKind::Access | LineKind::Error) {
            continue;
        }
        let stated = time.stated_ns();
        let pair = |f: &Fact, weight: f64| {
            let (start, end) = (f.start()?.0, f.end()?.0 + f.precision_ns());
            Some(Pair { lo: stated - end, hi: stated + time.precision_ns - start, weight, line: e.at.line, stated })
        };
        if let Some(ray) = e.own_ray() {
            let found = rows.index.ray(ray);
            let weight = 1.0 / found.len() as f64;
            by_ray.extend(found.filter_map(|i| pair(&rows.facts.get(i as usize)?, weight)));
            continue;
        }
        if !(1..=MANY).contains(&rows.index.requests(e.request)) {
            continue;
        }
        let matching: Vec<Fact> = rows
            .index
            .request(e.request)
            .filter_map(|i| rows.facts.get(i as usize))
            .filter(|f| rows.keys.get(f.combo as usize).is_none_or(|k| agrees(e, f, k, column, true)))
            .filter(|f| plausible(e, f))
            .collect();
        by_request.extend(matching.iter().filter_map(|f| pair(f, 1.0 / matching.len() as f64)));
    }
    (enough(by_ray), by_request)
}

/// The best clock that was measured or given on a machine.
fn best<'a>(list: &'a [Option<Clock>], members: &[usize]) -> Option<&'a Clock> {
    members.iter().filter_map(|&i| list.get(i)?.as_ref()).min_by_key(|c| (c.how, c.error_ns))
}

/// Measurements of one clock that are at most so far apart, in nanoseconds, are of the same machine.
const APART: i64 = 3 * SECOND;
/// Who has so many times the pairs knows better.
const BETTER: u32 = 3;

/// A server writes its access log and its error log by one clock. Where retries follow failures at a habitual pause, the
/// few pairs of an error log may fit a whole second beside the truth: then the source with far more pairs decides.
fn reconcile(scans: &[SourceScan], members: &[usize], clocks: &mut Clocks) {
    let pairs = |clock: &Clock| match clock.how {
        How::Rays(n) | How::Requests(n) if clock.pieces.is_empty() => Some(n),
        _ => None,
    };
    let stack = |i: usize| scans.get(i)?.stacks.iter().max_by_key(|(_, n)| **n).map(|(stack, _)| *stack);
    let measured: Vec<(usize, bool, u32, Clock)> = members
        .iter()
        .flat_map(|&i| [(i, true), (i, false)])
        .filter_map(|(i, has_zone)| {
            let clock = clocks.of(i, has_zone)?;
            Some((i, has_zone, pairs(clock)?, clock.clone()))
        })
        .collect();
    for (i, has_zone, n, clock) in &measured {
        let (zone, skew) = clock.split();
        let better = measured.iter().filter(|(j, _, m, other)| {
            j != i && stack(*j) == stack(*i) && *m >= n.saturating_mul(BETTER) && (other.split().1 - skew).abs() <= APART
        });
        if let Some((_, _, _, best)) = better.max_by_key(|(j, _, m, _)| (*m, std::cmp::Reverse(*j))) {
            let shift_ns = zone * SECOND + best.split().1;
            if (shift_ns - clock.shift_ns).abs() >= SECOND / 2 {
                clocks.set(*i, *has_zone, Clock { shift_ns, error_ns: best.error_ns, ..clock.clone() });
            }
        }
    }
}

/// Groups without a measurement that tell of events which a measured log of the machine tells of, too.
fn by_machine(scans: &[SourceScan], members: &[usize], clocks: &mut Clocks) {
    let Some((skew, error_ns)) = [best(&clocks.zoned, members), best(&clocks.unzoned, members)]
        .into_iter()
        .flatten()
        .min_by_key(|c| (c.how, c.error_ns))
        .map(|c| (c.split().1, c.error_ns))
    else {
        return;
    };
    let mut known: Vec<Known<'_>> = Vec::new();
    let mut open: Vec<(usize, bool)> = Vec::new();
    for &i in members {
        let Some(scan) = scans.get(i) else { continue };
        for has_zone in [true, false] {
            match clocks.of(i, has_zone) {
                Some(clock) => {
                    known.extend(group(scan, has_zone).filter(|e| e.sig.is_some() || machine::is_failure(e)).filter_map(|event| {
                        let stated = event.time()?.stated_ns();
                        Some(Known { at: stated - clock.shift_of(event.at.line, stated)?, event })
                    }))
                }
                None => open.push((i, has_zone)),
            }
        }
    }
    for (i, has_zone) in open {
        if let Some(scan) = scans.get(i)
            && let Some(clock) = machine::clock(group(scan, has_zone), &known, skew, error_ns)
        {
            clocks.set(i, has_zone, clock);
        }
    }
}

/// Groups without a measurement take what another source of the same machine knows.
fn borrow(scans: &[SourceScan], members: &[usize], clocks: &mut Clocks) {
    let server_zoned = best(&clocks.zoned, members).cloned();
    let server_unzoned = best(&clocks.unzoned, members).cloned();
    for &i in members {
        let Some(scan) = scans.get(i) else { continue };
        let own_zoned = clocks.of(i, true).cloned();
        if own_zoned.is_none() && scan.written_zone_s().is_some() {
            // A stated zone is believed; the skew is the machine's. A measured shift of zoned lines
            // elsewhere on the machine applies as it is, one of unzoned lines only by its skew.
            let clock = match (&server_zoned, &server_unzoned) {
                (Some(c), _) => laid(&Timeline::of(c), scan, true, &[], c.error_ns, How::Borrowed),
                (None, Some(c)) => Clock::constant(c.split().1, c.error_ns, How::Borrowed),
                (None, None) => Clock::constant(0, STATED_ERROR, How::Stated),
            };
            clocks.set(i, true, clock);
        }
        // A log whose every line states a zone needs no clock for others.
        let all_zoned = !scan.zones.is_empty() && !scan.zones.contains_key(&i32::MIN);
        if clocks.of(i, false).is_none() && !all_zoned {
            let from_own = || own_zoned.as_ref().and_then(|c| Some((local_time(scan, Some(c))?, c.error_ns)));
            let from_unzoned = || server_unzoned.as_ref().map(|c| (Timeline::of(c), c.error_ns));
            // Web servers' access logs state the machine's zone; PHP's own log is UTC by default.
            let from_others = || {
                members.iter().find_map(|&j| {
                    let other = scans.get(j).filter(|s| s.kinds.contains_key(&LineKind::Access))?;
                    let clock = clocks.of(j, true);
                    Some((local_time(other, clock)?, clock.map_or(STATED_ERROR, |c| c.error_ns)))
                })
            };
            if let Some((timeline, error_ns)) = from_own().or_else(from_unzoned).or_else(from_others) {
                clocks.set(i, false, laid(&timeline, scan, false, &[], error_ns, How::Borrowed));
            }
        }
    }
}

/// What digits without a zone mean on the machine of a source that writes zones: the zone that it writes at a
/// moment, and the skew.
fn local_time(scan: &SourceScan, clock: Option<&Clock>) -> Option<Timeline> {
    let mostly = scan.written_zone_s()? * SECOND;
    let skew = clock.map_or_else(|| Timeline::constant(0), Timeline::of);
    let access = scan.kinds.contains_key(&LineKind::Access);
    let written = group(scan, true).filter(|e| !access || e.kind == LineKind::Access).filter_map(|e| {
        let time = e.time()?;
        let stated = time.stated_ns();
        Some((stated - clock.map_or(Some(0), |c| c.shift_of(e.at.line, stated))?, time.offset_s?))
    });
    let zones = if scan.zones.keys().filter(|z| **z != i32::MIN).count() > 1 { Timeline::written(written.collect()) } else { None };
    Some(zones.unwrap_or_else(|| Timeline::constant(mostly)).plus(&skew))
}

/// A visitor's retry follows its 520 at a habitual pause: an ordinary access line is no pair for a 520.
fn plausible(e: &OriginEvent, f: &Fact) -> bool {
    match e.status {
        Some(status) if f.edge_status == 520 => !matches!(status, 100..=399),
        Some(status) => status == f.edge_status || status == f.origin_status,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_pairs_some_from_everywhere_are_chosen() {
        let pairs = |lines: &mut dyn Iterator<Item = u64>| -> Vec<u64> {
            let pairs = lines.map(|line| Pair { lo: 0, hi: 0, weight: 1.0, line, stated: 0 }).collect();
            enough(pairs).iter().map(|pair| pair.line).collect()
        };
        assert_eq!(pairs(&mut (0..ENOUGH as u64)).len(), ENOUGH, "few are all taken");
        let chosen = pairs(&mut (0..1_000_000));
        for from in (0..1_000_000).step_by(10_000) {
            let part = chosen.iter().filter(|line| (from..from + 10_000).contains(*line)).count();
            assert!((620..=690).contains(&part), "{part} of the lines from {from}");
        }
        // Every second line may be nobody's.
        assert!((64_000..=67_000).contains(&pairs(&mut (0..1_000_000).step_by(2)).len()));
    }
}
