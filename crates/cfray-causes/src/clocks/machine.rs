//! What two logs of one machine both tell: the death of a process, a stop, a burst of failures.
//!
//! A source without pairs of its own shares its machine's skew; only its zone is open. Each event that another log
//! of the machine tells as well votes for the zones, in steps of a quarter of an hour, that bring the two together.

use super::{Clock, How, split};
use cfray_model::time::SECOND;
use cfray_model::{LineKind, OriginEvent, Sig};
use std::collections::BTreeMap;

/// An event of a log whose clock is known: when it was, truly.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// True time in nanoseconds.
    pub at: i64,
    /// The event.
    pub event: &'a OriginEvent,
}

/// Logs of one machine report the same within this.
const TOGETHER: i64 = 4 * SECOND;
/// Zones reach from -12 h to +14 h.
const QUARTERS: std::ops::RangeInclusive<i64> = -48..=56;

/// What may be told twice: the dead process, by its number ...
const DEATHS: &[Sig] = &[
    Sig::NginxWorkerSignal,
    Sig::NginxWorkerFatal,
    Sig::ApacheChildSignal,
    Sig::HaProxyWorkerSignal,
    Sig::FpmChildSignal,
    Sig::FpmChildCode,
    Sig::FpmTimeout,
    Sig::AppWorkerTimeout,
    Sig::AppWorkerSignal,
    Sig::KernelFault,
    Sig::OomKill,
];

/// ... and kinds of events that come together.
const TOLD_TWICE: &[(&[Sig], &[Sig])] = &[
    (&[Sig::UnitStop, Sig::UnitKilled], &[Sig::NginxStop, Sig::ApacheStop, Sig::LighttpdStop, Sig::FpmStop]),
    (&[Sig::UnitStart], &[Sig::NginxStart, Sig::ApacheStart, Sig::LighttpdStart, Sig::FpmStart]),
    (&[Sig::FpmChildSignal, Sig::FpmTimeout, Sig::FpmChildCode], &[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ProxyDispatch]),
    (&[Sig::AppWorkerTimeout, Sig::AppWorkerSignal], &[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ProxyDispatch, Sig::OomKill]),
    (&[Sig::FpmMaxChildren, Sig::FpmBusy], &[Sig::ConnectQueueFull]),
    (&[Sig::FpmStop, Sig::FpmReload], &[Sig::ConnectFailed, Sig::ConnectQueueFull]),
    (&[Sig::KernelFault, Sig::OomKill], &[Sig::UpstreamReset, Sig::UpstreamClosed, Sig::ApacheChildSignal, Sig::NginxWorkerSignal]),
];

/// Ends of a request in the application.
const EXCEPTIONS: &[Sig] = &[Sig::PhpFatal, Sig::PhpMemory, Sig::PhpTime, Sig::AppException];

/// An access line of a request that such an end may have led to.
pub fn is_failure(e: &OriginEvent) -> bool {
    e.kind == LineKind::Access && (e.hung_up() || e.status == Some(500))
}

/// Events of one kind that are looked at, spread over all.
const ENOUGH: usize = 400;
/// Failed requests that they are compared with: each has a line, most of them without an exception.
const FAILURES: usize = 10 * ENOUGH;

/// The clock of a group of lines, from what `known` logs of the machine tell as well. `skew_ns` and `error_ns` are the
/// machine's.
pub fn clock<'a>(group: impl Iterator<Item = &'a OriginEvent>, known: &[Known<'_>], skew_ns: i64, error_ns: i64) -> Option<Clock> {
    let mut by_pid: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    let mut by_sig: BTreeMap<Sig, Vec<i64>> = BTreeMap::new();
    for k in known {
        let Some(hit) = k.event.sig.as_ref().filter(|_| !is_failure(k.event)) else { continue };
        if let Some(pid) = hit.pid.filter(|_| DEATHS.contains(&hit.sig)) {
            by_pid.entry(pid).or_default().push(k.at);
        }
        by_sig.entry(hit.sig).or_default().push(k.at);
    }
    let failed: Vec<i64> = known.iter().filter(|k| is_failure(k.event)).take(FAILURES).map(|k| k.at).collect();
    let mut deaths: BTreeMap<i64, f64> = BTreeMap::new();
    let mut bursts: BTreeMap<i64, f64> = BTreeMap::new();
    let mut seen: BTreeMap<Sig, usize> = BTreeMap::new();
    let mut told = 0usize;
    for e in group {
        let (Some(hit), Some(time)) = (&e.sig, e.time()) else { continue };
        let n = seen.entry(hit.sig).or_default();
        *n += 1;
        if *n > ENOUGH {
            continue;
        }
        let stated = time.stated_ns();
        if let Some(list) = hit.pid.filter(|_| DEATHS.contains(&hit.sig)).and_then(|pid| by_pid.get(&pid)) {
            vote(&mut deaths, stated, list, skew_ns);
        }
        // What an application could not catch, the web server answers with 500 or hides behind a close.
        if EXCEPTIONS.contains(&hit.sig) && !failed.is_empty() {
            told += 1;
            vote(&mut bursts, stated, &failed, skew_ns);
        }
        for (one, other) in TOLD_TWICE {
            let partners: &[Sig] = match (one.contains(&hit.sig), other.contains(&hit.sig)) {
                (true, false) => other,
                (false, true) => one,
                _ => continue,
            };
            let list: Vec<i64> = partners.iter().filter_map(|s| by_sig.get(s)).flatten().take(ENOUGH).copied().collect();
            if !list.is_empty() {
                told += 1;
                vote(&mut bursts, stated, &list, skew_ns);
            }
        }
    }
    // A number that two logs give to a dead process is hardly chance; a burst may be.
    let (quarter, votes) = clear(&deaths, 2.0).or_else(|| clear(&bursts, 5.0).filter(|(_, votes)| votes * 2.0 >= told as f64))?;
    let shift_ns = quarter * 900 * SECOND + skew_ns;
    Some(Clock::constant(shift_ns, error_ns.max(SECOND), How::Machine(votes.round() as u32)))
}

/// One vote an event, for every zone under which some event of the list was at the same time.
fn vote(votes: &mut BTreeMap<i64, f64>, stated: i64, list: &[i64], skew_ns: i64) {
    let mut zones: Vec<i64> = list
        .iter()
        .filter_map(|at| {
            let (zone, rest) = split(stated - at - skew_ns);
            (rest.abs() <= TOGETHER && QUARTERS.contains(&(zone / 900))).then_some(zone / 900)
        })
        .collect();
    zones.sort_unstable();
    zones.dedup();
    for zone in zones {
        *votes.entry(zone).or_default() += 1.0;
    }
}

/// The zone with the most votes, if no other has half as many.
fn clear(votes: &BTreeMap<i64, f64>, least: f64) -> Option<(i64, f64)> {
    let (&zone, &most) = votes.iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.abs().cmp(&a.0.abs())))?;
    let second = votes.iter().filter(|(z, _)| **z != zone).map(|(_, n)| *n).fold(0.0, f64::max);
    (most >= least && second * 2.0 <= most).then_some((zone, most))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use cfray_model::{LogTime, SigHit};

    fn event(sig: Sig, pid: Option<u64>, stated: i64) -> OriginEvent {
        OriginEvent {
            time: Some(LogTime { civil_ns: stated * SECOND, offset_s: None, precision_ns: SECOND, yearless: false }).into(),
            sig: Some(SigHit { sig, num: Some(11), pid, name: None }.into()),
            ..crate::testing::event()
        }
    }

    fn measured(sig: Sig, other: Sig, pids: bool, times: &[i64], shift: i64) -> Option<Clock> {
        let pid = |i: usize| pids.then_some(4000 + i as u64);
        let known: Vec<OriginEvent> = times.iter().enumerate().map(|(i, t)| event(sig, pid(i), *t)).collect();
        let known: Vec<Known<'_>> = known.iter().zip(times).map(|(event, t)| Known { at: t * SECOND, event }).collect();
        let own: Vec<OriginEvent> = times.iter().enumerate().map(|(i, t)| event(other, pid(i), t + shift + 1)).collect();
        clock(own.iter(), &known, 12 * SECOND, SECOND / 2)
    }

    #[test]
    fn two_deaths_with_their_numbers_tell_the_zone() {
        let found = measured(Sig::NginxWorkerSignal, Sig::KernelFault, true, &[0, 700], 20_700 + 12).unwrap();
        assert_eq!((found.shift_ns, found.how), ((20_700 + 12) * SECOND, How::Machine(2)));
        assert_eq!(measured(Sig::NginxWorkerSignal, Sig::KernelFault, true, &[0], 20_700 + 12), None, "one may be chance");
    }

    #[test]
    fn exceptions_of_an_application_go_with_failed_requests() {
        let times = [0, 431, 1_009, 1_777, 2_903, 4_441];
        let lines = |status: u16| -> Vec<OriginEvent> {
            let of = |t: &i64| OriginEvent { kind: LineKind::Access, status: Some(status), sig: None, ..event(Sig::PhpFatal, None, *t) };
            times.iter().map(of).collect()
        };
        let own: Vec<OriginEvent> = times.iter().map(|t| event(Sig::PhpFatal, None, t - 3600 + 12)).collect();
        let measure = |known: &[OriginEvent]| {
            let known: Vec<Known<'_>> = known.iter().zip(times).map(|(event, t)| Known { at: t * SECOND, event }).collect();
            clock(own.iter(), &known, 12 * SECOND, SECOND / 2)
        };
        assert_eq!(measure(&lines(444)).unwrap().shift_ns, (-3600 + 12) * SECOND);
        assert_eq!(measure(&lines(200)), None);
    }

    #[test]
    fn bursts_need_more_and_must_not_fit_every_zone() {
        let times = [0, 431, 1_009, 1_777, 2_903, 4_441];
        let found = measured(Sig::UpstreamReset, Sig::FpmChildSignal, false, &times, -18_000 + 12).unwrap();
        assert_eq!(found.shift_ns, (-18_000 + 12) * SECOND);
        let regular: Vec<i64> = (0..40).map(|i| i * 900).collect();
        assert_eq!(measured(Sig::UpstreamReset, Sig::FpmChildSignal, false, &regular, 12), None, "every quarter of an hour");
        assert_eq!(measured(Sig::UpstreamReset, Sig::FpmChildSignal, false, &times[..4], 12), None);
    }
}
