//! What is said of each source: clock, and what it covers.

use crate::clocks::{Clock, How};
use crate::join::world::{Ev, World};
use cfray_model::report::{ClockSummary, SourceSummary};
use cfray_model::time::{MINUTE, SECOND};
use cfray_model::{Fact, FactFlags, LineKind, SourceScan, Stamp, Tie, key};
use std::collections::BTreeMap;

/// Hosts that are named.
const HOSTS: usize = 5;
/// Gaps that are named.
const GAPS: usize = 5;
/// Minutes without a line that count as a gap.
const GAP_MINUTES: i64 = 10;

/// Summaries of the origin sources of one world.
pub fn origin_sources(w: &World) -> Vec<SourceSummary> {
    let mut tied: BTreeMap<usize, u64> = BTreeMap::new();
    for (ev, owner) in w.evs.iter().zip(&w.ties.owner) {
        let incident = |f: &Fact| f.flags.has(FactFlags::INCIDENT) && w.edge.owns(f);
        if owner.is_some_and(|(f, t)| t >= Tie::Chain && w.edge.facts.get(f as usize).is_some_and(|f| incident(&f))) {
            *tied.entry(ev.scan).or_default() += 1;
        }
    }
    let mut events: Vec<Vec<&Ev>> = vec![Vec::new(); w.scans.len()];
    for ev in &w.evs {
        if let Some(list) = events.get_mut(ev.scan) {
            list.push(ev);
        }
    }
    for list in &mut events {
        list.sort_by_key(|ev| ev.e.at);
    }
    let names: Vec<&str> = w.scans.iter().map(|s| s.info.name.as_str()).collect();
    let missing = missing_files(&names);
    let hosts = host_names(w);
    let none = Vec::new();
    w.scans
        .iter()
        .enumerate()
        .map(|(i, s)| {
            let zone_s = s.written_zone_s();
            let main = w.clocks.main(i);
            let utc = |civil: i64| w.true_ns(i, civil).map(Stamp);
            let events = events.get(i).unwrap_or(&none);
            let tick_ns = tick(events);
            SourceSummary {
                info: s.info.clone(),
                lines: s.lines,
                parsed: s.parsed,
                rejected: s.rejected,
                rejects: s.rejects.clone(),
                first: if mixed(s) { spans(events).map(|u| u.lo).min().map(Stamp) } else { ends(s.first_ns, main, &utc).min() },
                last: if mixed(s) { spans(events).map(|u| u.lo).max().map(Stamp) } else { ends(s.last_ns, main, &utc).max() },
                gaps: gaps(s, &utc),
                missing_files: missing.get(s.info.name.as_str()).cloned().unwrap_or_default(),
                hosts: hosts_of(s, &hosts),
                lowest_level: s.levels.keys().max().map(|l| format!("{l:?}").to_lowercase()).unwrap_or_default(),
                buffered: buffered(s, events),
                clock: main.map_or_else(
                    || {
                        "not known: nothing ties this source to Cloudflare's clock, so no line of it is tied by its time alone (--tz ZONE)"
                            .to_owned()
                    },
                    |(c, zoned)| clock_line(c, zoned, zone_s, tick_ns),
                ),
                measured: main.map(|(c, zoned)| measured(c, zoned, zone_s, tick_ns)),
                clock_unknown: main.is_none(),
                has_ray: s.with_ray > 0,
                tied: tied.get(&i).copied().unwrap_or(0),
            }
        })
        .collect()
}

/// An end of a source's span, and what may lie beyond it: where a clock was turned back, the last lines have not the latest digits.
fn ends(civil_ns: Option<i64>, clock: Option<(&Clock, bool)>, utc: &dyn Fn(i64) -> Option<Stamp>) -> impl Iterator<Item = Stamp> {
    let pieces = clock.map_or(&[][..], |(clock, _)| clock.pieces.as_slice()).iter().filter(|p| p.stated != (i64::MIN, i64::MAX));
    let turned = pieces.flat_map(|p| [p.stated.0, p.stated.1].map(|at| Some(Stamp(at.saturating_sub(p.shift_at(at)?)))));
    civil_ns.and_then(utc).into_iter().chain(turned.flatten())
}

/// Do its lines write several zones, or some of them none?
fn mixed(s: &SourceScan) -> bool {
    s.zones.len() > 1
}

fn spans<'a>(events: &'a [&Ev]) -> impl Iterator<Item = crate::join::Span> + 'a {
    events.iter().filter_map(|ev| ev.utc)
}

/// Stretches of ten minutes or more without a line, longest first. Digits that a turn of the clock left out are no gap.
fn gaps(s: &SourceScan, utc: &dyn Fn(i64) -> Option<Stamp>) -> Vec<(Stamp, Stamp)> {
    // Digits of several zones do not lie on one scale.
    if !s.kinds.contains_key(&LineKind::Access) || mixed(s) {
        return Vec::new();
    }
    let minutes: Vec<i64> = s.minutes.keys().copied().collect();
    let mut out: Vec<(Stamp, Stamp)> = minutes
        .windows(2)
        .filter_map(|pair| match pair {
            [a, b] if b - a > GAP_MINUTES => {
                Some((Stamp(utc(a.saturating_mul(MINUTE))?.0.saturating_add(MINUTE)), utc(b.saturating_mul(MINUTE))?))
            }
            _ => None,
        })
        .filter(|(a, b)| b.0.saturating_sub(a.0) >= GAP_MINUTES * MINUTE)
        .collect();
    out.sort_by_key(|(a, b)| (std::cmp::Reverse(b.0.saturating_sub(a.0)), a.0));
    out.truncate(GAPS);
    out
}

/// Names of the hosts of the edge rows by key.
fn host_names(w: &World) -> BTreeMap<u64, &str> {
    w.edge.combos.iter().filter(|c| !c.host.is_empty()).map(|c| (key::host_key(c.host.as_bytes()), c.host.as_str())).collect()
}

fn hosts_of(s: &SourceScan, names: &BTreeMap<u64, &str>) -> Vec<String> {
    let logged = s.hosts.iter().filter_map(|(k, n)| Some((*n, (*names.get(k)?).to_owned())));
    let mut list: Vec<(u64, String)> = logged.chain(s.syslog_hosts.iter().map(|(name, n)| (*n, name.clone()))).collect();
    list.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    list.truncate(HOSTS);
    list.into_iter().map(|(_, name)| name).collect()
}

/// The tick that most stamps have.
fn tick(events: &[&Ev]) -> i64 {
    let mut ticks: BTreeMap<i64, u64> = BTreeMap::new();
    for time in events.iter().filter_map(|ev| ev.e.time()) {
        *ticks.entry(time.precision_ns).or_default() += 1;
    }
    ticks.into_iter().max_by_key(|(_, n)| *n).map_or(SECOND, |(tick, _)| tick)
}

/// nginx writes an access line when the request ends, so stamps never run back by seconds, unless each worker
/// writes its lines in blocks.
fn buffered(s: &SourceScan, events: &[&Ev]) -> bool {
    if !s.kinds.contains_key(&LineKind::Access) {
        return false;
    }
    let stamps: Vec<i64> = events
        .iter()
        .filter(|ev| ev.e.kind == LineKind::Access && !ev.e.time_is_start)
        .filter_map(|ev| ev.e.time().map(|t| t.stated_ns()))
        .collect();
    let back = stamps.windows(2).filter(|pair| matches!(pair, [a, b] if (3 * SECOND..1800 * SECOND).contains(&(a - b)))).count();
    back >= 3 && back * 200 >= stamps.len()
}

/// Zone and skew of a clock's digits.
fn zone_and_skew(c: &Clock, zoned: bool, written_s: Option<i64>) -> (i64, i64) {
    let (shift_zone, skew) = c.split();
    (if zoned { written_s.unwrap_or(0) + shift_zone } else { shift_zone }, skew)
}

fn measured(c: &Clock, zoned: bool, written_s: Option<i64>, tick_ns: i64) -> ClockSummary {
    let (zone_s, skew) = zone_and_skew(c, zoned, written_s);
    let seconds = |ns: i64| ns as f64 / SECOND as f64;
    let (by, pairs) = match c.how {
        How::Given => ("given", 0),
        How::Rays(n) => ("ray", n),
        How::Requests(n) => ("request", n),
        How::Machine(n) => ("machine", n),
        How::Borrowed => ("borrowed", 0),
        How::Stated => ("stated", 0),
    };
    ClockSummary {
        zone_s,
        skew_s: seconds(skew),
        error_s: seconds(c.error_ns),
        drift_s_per_hour: c.drift_s_per_hour(),
        steps: c.steps().into_iter().map(|(at, by)| (Stamp(at - c.shift_near(at)), seconds(by))).collect(),
        by: by.to_owned(),
        pairs,
        tick_s: seconds(tick_ns),
    }
}

/// "UTC+05:30", "UTC".
fn zone_name(zone_s: i64) -> String {
    match zone_s {
        0 => "UTC".to_owned(),
        s => format!("UTC{}{:02}:{:02}", if s < 0 { '-' } else { '+' }, s.abs() / 3600, s.abs() % 3600 / 60),
    }
}

/// "UTC+05:30, 40.0 s fast (±0.5 s), stamps of 1 s, from 212 pairs by ray".
pub fn clock_line(c: &Clock, zoned: bool, written_s: Option<i64>, tick_ns: i64) -> String {
    let (zone, skew) = zone_and_skew(c, zoned, written_s);
    let seconds = skew as f64 / SECOND as f64;
    let error = c.error_ns as f64 / SECOND as f64;
    let drift = c.drift_s_per_hour();
    let skew = if seconds.abs() <= error.max(0.5) && drift == 0.0 {
        "in step".to_owned()
    } else {
        format!("{:.1} s {}", seconds.abs(), if seconds > 0.0 { "fast" } else { "slow" })
    };
    let drift = if drift == 0.0 {
        String::new()
    } else {
        format!(" and {} {:.1} s an hour", if drift > 0.0 { "gaining" } else { "losing" }, drift.abs())
    };
    let turns: Vec<String> = c
        .steps()
        .into_iter()
        .take(3)
        .map(|(at, by)| {
            let moment = Stamp(at - c.shift_near(at)).to_rfc3339_ms();
            let (turned, rest) = crate::clocks::split(by);
            let by_zone = turned != 0 && rest.abs() <= 2 * SECOND;
            let amount = if by_zone { format!("{} min", turned.abs() / 60) } else { format!("{:.1} s", by.abs() as f64 / SECOND as f64) };
            format!("; turned {} by {amount} at {}Z", if by > 0 { "forward" } else { "back" }, moment.get(..16).unwrap_or(&moment))
        })
        .collect();
    let stamps = match tick_ns {
        SECOND.. => format!(", stamps of {} s", tick_ns / SECOND),
        _ => String::new(),
    };
    let how = match c.how {
        How::Given => "zone given by --tz".to_owned(),
        How::Rays(n) => format!("from {n} pairs by ray"),
        How::Requests(n) => format!("from {n} pairs by request"),
        How::Machine(n) => format!("from {n} events that another log of this server tells, too"),
        How::Borrowed => "as the other logs of this server".to_owned(),
        How::Stated => "as written in the lines, not checked".to_owned(),
    };
    let wrong = if zoned && c.split().0 != 0 { "; the zone written in the lines is wrong" } else { "" };
    format!("{}, {skew}{drift} (±{error:.1} s){stamps}, {how}{}{wrong}", zone_name(zone), turns.concat())
}

/// Names that rotated sets lack, by the name of the file that comes before each hole (the newer one of numbered files).
pub fn missing_files<'a>(names: &[&'a str]) -> BTreeMap<&'a str, Vec<String>> {
    let mut numbered: BTreeMap<&str, BTreeMap<u32, &'a str>> = BTreeMap::new();
    let mut dated: BTreeMap<(&str, &str), BTreeMap<i64, &'a str>> = BTreeMap::new();
    for &name in names {
        let bare = [".gz", ".zst", ".bz2", ".xz"].iter().find_map(|e| name.strip_suffix(e)).unwrap_or(name);
        match turn(bare) {
            Some(Turn::Number(stem, n)) => drop(numbered.entry(stem).or_default().insert(n, name)),
            Some(Turn::Day(stem, mark, day)) => drop(dated.entry((stem, mark)).or_default().insert(day, name)),
            None => drop(numbered.entry(bare).or_default().insert(0, name)),
        }
    }
    let mut out: BTreeMap<&'a str, Vec<String>> = BTreeMap::new();
    for (stem, files) in numbered {
        for pair in files.iter().collect::<Vec<_>>().windows(2) {
            let [(a, newer), (b, _)] = pair else { continue };
            // Without the current file the numbers still say what is missing between them.
            let lacking: Vec<String> = (**a + 1..**b).map(|n| format!("{stem}.{n}")).take(GAPS).collect();
            if !lacking.is_empty() {
                out.entry(newer).or_default().extend(lacking);
            }
        }
        // Numbers that begin above 1 beside no current file at all: the newest are missing.
        if let Some((first, name)) = files.first_key_value().filter(|(n, _)| **n > 1) {
            out.entry(name).or_default().extend((1..*first).map(|n| format!("{stem}.{n}")).take(GAPS));
        }
    }
    for ((stem, mark), files) in dated {
        let days: Vec<(i64, &str)> = files.iter().map(|(d, n)| (*d, *n)).collect();
        let mut steps: Vec<i64> = days
            .windows(2)
            .filter_map(|p| matches!(p, [a, b] if b.0 > a.0).then(|| p.last().zip(p.first()).map(|(b, a)| b.0 - a.0))?)
            .collect();
        steps.sort_unstable();
        // A day or a week, as most of them are apart; two files alone say nothing about their distance.
        let Some(&step) = steps.get(steps.len() / 2).filter(|_| steps.len() >= 2) else { continue };
        for pair in days.windows(2) {
            let [(a, older), (b, _)] = pair else { continue };
            let lacking: Vec<String> =
                (1..).map(|k| a + k * step).take_while(|d| *d < *b).take(GAPS).map(|d| format!("{stem}{mark}{}", day_name(d))).collect();
            if !lacking.is_empty() {
                out.entry(older).or_default().extend(lacking);
            }
        }
    }
    out
}

enum Turn<'a> {
    Number(&'a str, u32),
    /// Stem, what stands before the date, days since the epoch.
    Day(&'a str, &'a str, i64),
}

/// `access.log.3`, `access.log-20261122`.
fn turn(name: &str) -> Option<Turn<'_>> {
    let at = name.rfind(|c: char| !c.is_ascii_digit())?;
    let (stem, digits) = (name.get(..at)?, name.get(at + 1..)?);
    let mark = name.get(at..at + 1)?;
    match (digits.len(), mark) {
        (1..=4, ".") if !stem.is_empty() => Some(Turn::Number(stem, digits.parse().ok()?)),
        (8, "-" | "." | "_") => {
            let date = chrono::NaiveDate::parse_from_str(digits, "%Y%m%d").ok()?;
            Some(Turn::Day(stem, mark, date.signed_duration_since(chrono::NaiveDate::default()).num_days()))
        }
        _ => None,
    }
}

fn day_name(day: i64) -> String {
    let date = chrono::Duration::try_days(day).and_then(|d| chrono::NaiveDate::default().checked_add_signed(d));
    date.map(|d| d.format("%Y%m%d").to_string()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn missing(names: &[&str]) -> Vec<String> {
        missing_files(names).into_values().flatten().collect()
    }

    #[test]
    fn a_hole_in_the_numbers_is_named() {
        assert_eq!(missing(&["l/access.log", "l/access.log.1", "l/access.log.3.gz"]), ["l/access.log.2"]);
        assert_eq!(missing(&["l/access.log", "l/access.log.2.gz"]), ["l/access.log.1"]);
        assert_eq!(missing(&["l/access.log.2.gz", "l/access.log.3.gz"]), ["l/access.log.1"]);
        assert!(missing(&["l/access.log", "l/access.log.1", "m/access.log.2.gz", "m/access.log.1", "l/error.log"]).is_empty());
        assert!(missing(&["site-2.log", "site-4.log", "php8.2-fpm.log"]).is_empty());
    }

    #[test]
    fn a_hole_in_the_dates_is_named() {
        let days = ["a.log-20261101", "a.log-20261102.gz", "a.log-20261104.gz", "a.log-20261105.gz"];
        assert_eq!(missing(&days), ["a.log-20261103"]);
        let weeks = ["a.log-20261101", "a.log-20261108", "a.log-20261115", "a.log-20261129"];
        assert_eq!(missing(&weeks), ["a.log-20261122"]);
        assert!(missing(&["a.log-20261101", "a.log-20261129"]).is_empty(), "two say nothing about the distance");
    }

    #[test]
    fn the_clock_in_words() {
        let c = Clock::constant(19_840 * SECOND, SECOND / 2, How::Rays(212));
        assert_eq!(clock_line(&c, false, None, SECOND), "UTC+05:30, 40.0 s fast (±0.5 s), stamps of 1 s, from 212 pairs by ray");
        let c = Clock::constant(0, SECOND / 10, How::Machine(3));
        assert_eq!(
            clock_line(&c, true, Some(-18_000), 1_000_000),
            "UTC-05:00, in step (±0.1 s), from 3 events that another log of this server tells, too"
        );
    }
}
