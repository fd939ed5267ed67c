//! Time stamps of system logs, on top of [`crate::fields::time`]: zones by name, years in syslog,
//! seconds since boot.

use crate::fields::time::{self, Parsed};
use cfray_model::LogTime;
use chrono::{Offset, TimeZone};
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::take_while_m_n;
use nom::character::complete::char;
use nom::combinator::{map_opt, opt, recognize};
use nom::sequence::{preceded, terminated};

/// `Nov 22 10:00:00`, and `Nov 22 2026 10:00:00` (Cisco, some rsyslog templates), with or without a
/// fraction. Without a year the stamp is marked as such.
pub(crate) fn syslog(input: &[u8]) -> Parsed<'_, LogTime> {
    let year = terminated(time::digits(4), char(' '));
    let dated = (time::month, char(' '), time::day_column, char(' '), year, time::clock, opt(time::fraction));
    let dated = map_opt(dated, |(month, _, day, _, year, (h, m, s), part)| {
        let (nanos, precision_ns) = part.unwrap_or((0, time::SECONDS));
        let civil_ns = time::civil_ns(i64::from(year), month, day, h, m, s, nanos)?;
        Some(LogTime { civil_ns, offset_s: None, precision_ns, yearless: false })
    });
    alt((time::syslog_time, dated)).parse(input)
}

/// `22-Nov-2026 10:00:00` of PHP and PHP-FPM, with the name of a zone after a space in PHP's error
/// log only. The second value: a zone was written, known or not.
pub(crate) fn php(input: &[u8]) -> Parsed<'_, (LogTime, bool)> {
    let zone = take_while_m_n(1, 64, |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'_' | b'+' | b'-' | b':'));
    let (rest, (time, zone)) = (time::php_time, opt(preceded(char(' '), zone))).parse(input)?;
    let offset_s = zone.and_then(|zone| zone_offset(zone, time.civil_ns));
    Ok((rest, (LogTime { offset_s, ..time }, zone.is_some())))
}

/// Offset of a named zone at a civil time: the earlier one where the clock was turned back, and
/// none where the name is unknown.
pub(crate) fn zone_offset(zone: &[u8], civil_ns: i64) -> Option<i32> {
    if let Ok((b"", seconds)) = time::zone(zone) {
        return Some(seconds);
    }
    let zone: chrono_tz::Tz = std::str::from_utf8(zone).ok()?.parse().ok()?;
    let civil = chrono::DateTime::from_timestamp_nanos(civil_ns).naive_utc();
    let found = zone.offset_from_local_datetime(&civil);
    // In the hour that a change to summer time leaves out, the offset of an hour before holds.
    let found = found.earliest().or_else(|| zone.offset_from_local_datetime(&(civil - chrono::TimeDelta::hours(1))).earliest());
    found.map(|o| o.fix().local_minus_utc())
}

/// A stamp from microseconds since the epoch, as the journal counts.
pub(crate) fn epoch_micros(micros: i64) -> Option<LogTime> {
    Some(LogTime { civil_ns: micros.checked_mul(1000)?, offset_s: Some(0), precision_ns: 1000, yearless: false })
}

/// `[  123.456789] `: seconds since boot. They say nothing about the time of day.
pub(crate) fn since_boot(input: &[u8]) -> Parsed<'_, &[u8]> {
    let blanks = take_while_m_n(0, 12, |b: u8| b == b' ');
    let digits = || take_while_m_n(1, 12, |b: u8| b.is_ascii_digit());
    recognize((char('['), blanks, digits(), char('.'), digits(), char(']'), opt(char(' ')))).parse(input)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn utc(time: LogTime) -> String {
        cfray_model::Stamp(time.stated_ns()).to_rfc3339_ms()
    }

    #[test]
    fn syslog_with_and_without_a_year() {
        let (rest, time) = syslog(b"Nov  2 12:24:07 web1").unwrap();
        assert_eq!((rest, utc(time).as_str(), time.yearless, time.offset_s), (&b" web1"[..], "1970-11-02T12:24:07.000Z", true, None));
        let (_, time) = syslog(b"Nov 22 2026 12:24:07.5 web1").unwrap();
        assert_eq!((utc(time).as_str(), time.yearless), ("2026-11-22T12:24:07.500Z", false));
        assert!(syslog(b"Feb 30 12:00:00").is_err());
        assert!(syslog("ao\u{fb}t 19 11:08:37".as_bytes()).is_err());
    }

    #[test]
    fn zones_of_php() {
        let read = |text: &str| php(text.as_bytes()).unwrap().1;
        assert_eq!(utc(read("22-Nov-2026 13:24:07 Europe/Berlin").0), "2026-11-22T12:24:07.000Z");
        assert_eq!(read("22-Nov-2026 13:24:07 UTC").0.offset_s, Some(0));
        assert_eq!(read("25-Oct-2026 02:30:00 Europe/Berlin").0.offset_s, Some(7200), "clock turned back: the earlier");
        assert_eq!(read("29-Mar-2026 02:30:00 Europe/Berlin").0.offset_s, Some(3600), "an hour that never was");
        assert_eq!(read("22-Nov-2026 12:24:07 Mars/Olympus"), (read("22-Nov-2026 12:24:07").0, true));
        assert_eq!(read("22-Nov-2026 12:24:07 +05:30").0.offset_s, Some(19_800));
    }

    #[test]
    fn boot_clock() {
        assert_eq!(since_boot(b"[  123.456789] x").unwrap().0, b"x");
        assert!(since_boot(b"[UFW BLOCK] x").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            let _ = (syslog(&bytes), php(&bytes), since_boot(&bytes));
        }

        #[test]
        fn any_zone_at_any_time(zone in "[A-Za-z/_+:0-9-]{1,20}", ns in any::<i64>()) {
            let _ = zone_offset(zone.as_bytes(), ns);
        }
    }
}
