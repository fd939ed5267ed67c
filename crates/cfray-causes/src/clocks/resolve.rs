//! Which clock each group of lines gets, in the order of trust.

use super::{Clock, How, estimate};
use crate::join::index::{ClientColumn, ComboKeys, FactIndex, agrees};
use crate::settings::Settings;
use cfray_model::time::SECOND;
use cfray_model::{Fact, Facts, LineKind, OriginEvent, SourceScan};
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
}

/// More rows than this for one request key say nothing about a clock.
const MANY: usize = 64;

/// Measures and resolves. `columns` says which sources' client columns can be compared.
pub fn resolve(
    scans: &[SourceScan],
    facts: &Facts,
    keys: &[ComboKeys],
    index: &FactIndex,
    columns: &[ClientColumn],
    settings: &Settings,
) -> Clocks {
    let mut clocks = Clocks { zoned: vec![None; scans.len()], unzoned: vec![None; scans.len()] };
    for (i, scan) in scans.iter().enumerate() {
        for has_zone in [true, false] {
            let events = || scan.events.iter().filter(move |e| e.time.is_some_and(|t| t.offset_s.is_some() == has_zone));
            let measured = measure(events, facts, keys, index, columns.get(i).copied().unwrap_or_default());
            let given = (!has_zone).then(|| settings.zone_of(&scan.info.name)).flatten().map(|zone| {
                let zone_ns = i64::from(zone.offset_s(scan.first_ns.unwrap_or(0))) * SECOND;
                // The user's zone wins; what remains of a measurement within a few minutes is skew.
                match measured {
                    Some(m) if (m.shift_ns - zone_ns).abs() < 450 * SECOND => Clock { how: How::Given, ..m },
                    _ => Clock { shift_ns: zone_ns, error_ns: 2 * SECOND, how: How::Given },
                }
            });
            let slot = if has_zone { &mut clocks.zoned } else { &mut clocks.unzoned };
            if let Some(slot) = slot.get_mut(i) {
                *slot = given.or(measured);
            }
        }
    }
    let by_server = group_by_server(scans);
    for members in by_server.values() {
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

fn measure<'a, I: Iterator<Item = &'a OriginEvent>>(
    events: impl Fn() -> I,
    facts: &Facts,
    keys: &[ComboKeys],
    index: &FactIndex,
    column: ClientColumn,
) -> Option<Clock> {
    let mut by_ray = Vec::new();
    let mut by_request = Vec::new();
    for e in events() {
        let Some(time) = e.time else { continue };
        let stated = time.stated_ns();
        let pair = |f: &Fact, weight: f64| {
            let (start, end) = (f.start()?.0, f.end()?.0 + f.precision_ns());
            Some(estimate::Pair { lo: stated - end, hi: stated + time.precision_ns - start, weight })
        };
        if e.ray != 0 && matches!(e.kind, LineKind::Access | LineKind::Error) {
            let rows = index.ray(e.ray);
            by_ray.extend(rows.iter().filter_map(|&i| pair(facts.get(i as usize)?, 1.0 / rows.len() as f64)));
            continue;
        }
        if !matches!(e.kind, LineKind::Access | LineKind::Error) {
            continue;
        }
        let rows = index.request(e.request);
        if rows.is_empty() || rows.len() > MANY {
            continue;
        }
        let matching: Vec<&Fact> = rows
            .iter()
            .filter_map(|&i| facts.get(i as usize))
            .filter(|f| keys.get(f.combo as usize).is_none_or(|k| agrees(e, f, k, column, true)))
            .filter(|f| plausible(e, f))
            .collect();
        by_request.extend(matching.iter().filter_map(|f| pair(f, 1.0 / matching.len() as f64)));
    }
    estimate::estimate(&by_ray)
        .map(|m| estimate::as_clock(m, true))
        .or_else(|| estimate::estimate(&by_request).map(|m| estimate::as_clock(m, false)))
}

/// Groups without a measurement take what another source of the same machine knows.
fn borrow(scans: &[SourceScan], members: &[usize], clocks: &mut Clocks) {
    let best = |list: &[Option<Clock>]| members.iter().filter_map(|&i| list.get(i).copied().flatten()).min_by_key(|c| (c.how, c.error_ns));
    let server_zoned = best(&clocks.zoned);
    let server_unzoned = best(&clocks.unzoned);
    for &i in members {
        let Some(scan) = scans.get(i) else { continue };
        let stated_zone = scan.written_zone_s().map(|zone| zone * SECOND);
        let own_zoned = clocks.zoned.get(i).copied().flatten();
        if own_zoned.is_none() && stated_zone.is_some() {
            // A stated zone is believed; the skew is the machine's. A measured shift of zoned lines
            // elsewhere on the machine applies as it is, one of unzoned lines only by its skew.
            let clock = match (server_zoned, server_unzoned) {
                (Some(c), _) => Clock { how: How::Borrowed, ..c },
                (None, Some(c)) => Clock { shift_ns: c.split().1, error_ns: c.error_ns, how: How::Borrowed },
                (None, None) => Clock { shift_ns: 0, error_ns: 5 * SECOND, how: How::Stated },
            };
            set(&mut clocks.zoned, i, clock);
        }
        if clocks.unzoned.get(i).copied().flatten().is_none() {
            let from_own = own_zoned.zip(stated_zone).map(|(c, zone)| (c.shift_ns + zone, c.error_ns));
            let from_unzoned = server_unzoned.map(|c| (c.shift_ns, c.error_ns));
            let from_others = || {
                members.iter().find_map(|&j| {
                    let other = scans.get(j)?;
                    let zone = other
                        .zones
                        .iter()
                        .filter(|(z, _)| **z != i32::MIN)
                        .max_by_key(|(_, n)| **n)
                        .map(|(z, _)| i64::from(*z) * SECOND)?;
                    // Web servers' access logs state the machine's zone; PHP's own log is UTC by default.
                    other.kinds.contains_key(&LineKind::Access).then_some(())?;
                    let shift = clocks.zoned.get(j).copied().flatten().map_or((0, 5 * SECOND), |c| (c.shift_ns, c.error_ns));
                    Some((shift.0 + zone, shift.1))
                })
            };
            if let Some((shift_ns, error_ns)) = from_own.or(from_unzoned).or_else(from_others) {
                set(&mut clocks.unzoned, i, Clock { shift_ns, error_ns, how: How::Borrowed });
            }
        }
    }
}

fn set(list: &mut [Option<Clock>], i: usize, clock: Clock) {
    if let Some(slot) = list.get_mut(i) {
        *slot = Some(clock);
    }
}

/// A visitor's retry follows its 520 at a habitual pause: an ordinary access line is no pair for a 520.
fn plausible(e: &OriginEvent, f: &Fact) -> bool {
    match e.status {
        Some(status) if f.edge_status == 520 => !matches!(status, 100..=399),
        Some(status) => status == f.edge_status || status == f.origin_status,
        None => true,
    }
}
