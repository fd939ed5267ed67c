//! Time stamps of origin logs, as nom parsers.
//!
//! All arithmetic is on integers: the digits are read as if they were UTC and the written zone is
//! kept beside them, since what the digits mean is only known once clocks have been measured.

use cfray_model::LogTime;
use cfray_model::time::SECOND;
use nom::IResult;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{take, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{map_opt, opt, verify};
use nom::error::{Error, ErrorKind};

/// A result over bytes.
pub type Parsed<'a, T> = IResult<&'a [u8], T>;

/// Whole-second precision.
pub const SECONDS: i64 = SECOND;

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last day of a year.
pub const fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let month_from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Digits of a calendar date and a time of day in nanoseconds since the epoch, read as UTC.
/// `None` for what no calendar has, and outside the years 1678 to 2261.
pub fn civil_ns(year: i64, month: u32, day: u32, hour: u32, minute: u32, second: u32, nanos: u32) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    // A leap second is written as 60 and taken as the second after.
    if !(1678..=2261).contains(&year) || !(1..=longest).contains(&day) || hour > 23 || minute > 59 || second > 60 || nanos > 999_999_999 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    seconds.checked_mul(SECOND)?.checked_add(i64::from(nanos))
}

/// Number of a month from its English abbreviation, in any case.
pub fn month_number(name: &[u8]) -> Option<u32> {
    let [a, b, c] = *name else { return None };
    Some(match [a.to_ascii_lowercase(), b.to_ascii_lowercase(), c.to_ascii_lowercase()] {
        [b'j', b'a', b'n'] => 1,
        [b'f', b'e', b'b'] => 2,
        [b'm', b'a', b'r'] => 3,
        [b'a', b'p', b'r'] => 4,
        [b'm', b'a', b'y'] => 5,
        [b'j', b'u', b'n'] => 6,
        [b'j', b'u', b'l'] => 7,
        [b'a', b'u', b'g'] => 8,
        [b's', b'e', b'p'] => 9,
        [b'o', b'c', b't'] => 10,
        [b'n', b'o', b'v'] => 11,
        [b'd', b'e', b'c'] => 12,
        _ => return None,
    })
}

/// Exactly `count` decimal digits.
pub fn digits(count: usize) -> impl Fn(&[u8]) -> Parsed<'_, u32> {
    move |input: &[u8]| {
        let (rest, text) = take(count)(input)?;
        let mut value = 0u32;
        for &b in text {
            if !b.is_ascii_digit() {
                return Err(nom::Err::Error(Error::new(input, ErrorKind::Digit)));
            }
            value = value.wrapping_mul(10).wrapping_add(u32::from(b - b'0'));
        }
        Ok((rest, value))
    }
}

/// A day of the month in two columns: `07`, ` 7`, or in one: `7`.
pub fn day_column(input: &[u8]) -> Parsed<'_, u32> {
    alt((digits(2), |i| {
        let (rest, _) = opt(char(' ')).parse(i)?;
        digits(1)(rest)
    }))
    .parse(input)
}

/// `Jan` to `Dec`.
pub fn month(input: &[u8]) -> Parsed<'_, u32> {
    map_opt(take(3usize), month_number).parse(input)
}

/// `12:30:36`, as (hour, minute, second).
pub fn clock(input: &[u8]) -> Parsed<'_, (u32, u32, u32)> {
    let (rest, (hour, _, minute, _, second)) = (digits(2), char(':'), digits(2), char(':'), digits(2)).parse(input)?;
    Ok((rest, (hour, minute, second)))
}

/// `.123456` or `,123`: nanoseconds and the width of the last digit in nanoseconds.
pub fn fraction(input: &[u8]) -> Parsed<'_, (u32, i64)> {
    let (rest, (_, text)) = (alt((char('.'), char(','))), take_while1(|b: u8| b.is_ascii_digit())).parse(input)?;
    Ok((rest, fraction_digits(text)))
}

/// Digits after a decimal point: nanoseconds and the width of the last digit in nanoseconds.
pub fn fraction_digits(text: &[u8]) -> (u32, i64) {
    let mut nanos = 0u32;
    let mut tick = SECOND;
    for &b in text.iter().take(9) {
        nanos = nanos * 10 + u32::from(b.wrapping_sub(b'0') % 10);
        tick /= 10;
    }
    (nanos.saturating_mul(u32::try_from(tick).unwrap_or(1)), tick)
}

/// `+0530`, `+05:30`, `-05`, `Z`, in seconds east of UTC.
pub fn zone(input: &[u8]) -> Parsed<'_, i32> {
    if let Some((b'Z' | b'z', rest)) = input.split_first() {
        return Ok((rest, 0));
    }
    let (rest, sign) = alt((char('+'), char('-'))).parse(input)?;
    let (rest, hours) = verify(digits(2), |h| *h < 24).parse(rest)?;
    let (rest, minutes) = opt((opt(char(':')), verify(digits(2), |m| *m < 60))).parse(rest)?;
    let seconds = i32::try_from(hours * 3600 + minutes.map_or(0, |(_, m)| m) * 60).unwrap_or(0);
    Ok((rest, if sign == '-' { -seconds } else { seconds }))
}

fn fail<T>(input: &[u8]) -> Parsed<'_, T> {
    Err(nom::Err::Error(Error::new(input, ErrorKind::Verify)))
}

fn whole(civil: Option<i64>, offset_s: Option<i32>, precision_ns: i64) -> Option<LogTime> {
    Some(LogTime { civil_ns: civil?, offset_s, precision_ns, yearless: false })
}

/// `22/Nov/2026:12:30:52 +0000`, the form of nginx `$time_local` and Apache `%t` without brackets.
pub fn clf_time(input: &[u8]) -> Parsed<'_, LogTime> {
    let (rest, (day, _, month, _, year, _, (h, m, s))) =
        (day_column, char('/'), month, char('/'), digits(4), char(':'), clock).parse(input)?;
    let (rest, part) = opt(fraction).parse(rest)?;
    let (rest, offset) = opt((char(' '), zone)).parse(rest)?;
    let (nanos, tick) = part.unwrap_or((0, SECONDS));
    match whole(civil_ns(i64::from(year), month, day, h, m, s, nanos), offset.map(|(_, z)| z), tick) {
        Some(time) => Ok((rest, time)),
        None => fail(input),
    }
}

/// The minute that was read last: lines come in order of time, so that of most stamps only the
/// seconds are new.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClfMemo {
    /// `22/Nov/2026:12:30:` and ` +0000` as they stood, and what they mean.
    minute: Option<([u8; 18], [u8; 6], LogTime)>,
}

impl ClfMemo {
    /// [`clf_time`] for a text of exactly the form `22/Nov/2026:12:30:52 +0000`; `None` for any other.
    pub fn read(&mut self, text: &[u8]) -> Option<LogTime> {
        let text: &[u8; 26] = text.try_into().ok()?;
        let ([tens @ b'0'..=b'6', ones @ b'0'..=b'9'], b' ') = ([text[18], text[19]], text[20]) else { return None };
        let seconds = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
        if seconds > 60 {
            return None;
        }
        let (minute, zone): ([u8; 18], [u8; 6]) = (text.first_chunk().copied()?, text.last_chunk().copied()?);
        let start = match self.minute {
            Some((m, z, start)) if m == minute && z == zone => start,
            _ => {
                let (b"", time) = clf_time(text).ok()? else { return None };
                // A day in one column would shift everything behind it.
                if minute[17] != b':' || time.precision_ns != SECONDS || time.offset_s.is_none() {
                    return None;
                }
                let start = LogTime { civil_ns: time.civil_ns - seconds * SECOND, ..time };
                self.minute = Some((minute, zone, start));
                start
            }
        };
        Some(LogTime { civil_ns: start.civil_ns + seconds * SECOND, ..start })
    }
}

/// `2026/11/22 12:30:36`, the form of nginx's error log: no zone. Every byte has its place, and each line is asked several times: it is
/// read without combinators.
pub fn nginx_error_time(input: &[u8]) -> Parsed<'_, LogTime> {
    let Some((text, rest)) = input.split_first_chunk::<19>() else { return fail(input) };
    let [y, e, a, r, b'/', m, o, b'/', d, t, b' ', h, u, b':', n, v, b':', s, w] = text else { return fail(input) };
    let mut odd = false;
    let mut two = |tens: &u8, ones: &u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        odd |= tens > 9 || ones > 9;
        u32::from(tens) * 10 + u32::from(ones)
    };
    let year = two(y, e) * 100 + two(a, r);
    let (month, day, hour, minute, second) = (two(m, o), two(d, t), two(h, u), two(n, v), two(s, w));
    let time = if odd { None } else { whole(civil_ns(i64::from(year), month, day, hour, minute, second, 0), None, SECONDS) };
    time.map_or_else(|| fail(input), |time| Ok((rest, time)))
}

/// `Sun Nov 22 12:30:36.123456 2026` or without fraction: Apache's error log; no zone.
pub fn apache_error_time(input: &[u8]) -> Parsed<'_, LogTime> {
    let (rest, _) = verify(take(3usize), |d: &[u8]| d.iter().all(u8::is_ascii_alphabetic)).parse(input)?;
    let (rest, (_, month, _, day, _, (h, m, s))) = (char(' '), month, char(' '), day_column, char(' '), clock).parse(rest)?;
    let (rest, part) = opt(fraction).parse(rest)?;
    let (rest, (_, year)) = (char(' '), digits(4)).parse(rest)?;
    let (nanos, tick) = part.unwrap_or((0, SECONDS));
    match whole(civil_ns(i64::from(year), month, day, h, m, s, nanos), None, tick) {
        Some(time) => Ok((rest, time)),
        None => fail(input),
    }
}

/// `2026-11-22T12:27:43.123+00:00`, `2026-11-22 12:27:43,123`, with or without fraction and zone.
pub fn iso_time(input: &[u8]) -> Parsed<'_, LogTime> {
    let (rest, (year, _, month, _, day)) = (digits(4), char('-'), digits(2), char('-'), digits(2)).parse(input)?;
    let (rest, _) = alt((char('T'), char('t'), char(' '))).parse(rest)?;
    let (rest, (h, m, s)) = clock(rest)?;
    let (rest, part) = opt(fraction).parse(rest)?;
    let (rest, offset) = match zone(rest) {
        Ok((rest, z)) => (rest, Some(z)),
        // A zone may stand apart, but only a signed one: ` Z` may be the start of a word.
        Err(_) => match (char(' '), verify(zone, |_| true)).parse(rest) {
            Ok((after, (_, z))) if matches!(rest.get(1), Some(b'+' | b'-')) => (after, Some(z)),
            _ => (rest, None),
        },
    };
    let (nanos, tick) = part.unwrap_or((0, SECONDS));
    match whole(civil_ns(i64::from(year), month, day, h, m, s, nanos), offset, tick) {
        Some(time) => Ok((rest, time)),
        None => fail(input),
    }
}

/// `22-Nov-2026 12:30:32`, the form of PHP-FPM and PHP: the zone name, if any, is left unread.
pub fn php_time(input: &[u8]) -> Parsed<'_, LogTime> {
    let (rest, (day, _, month, _, year, _, (h, m, s))) =
        (digits(2), char('-'), month, char('-'), digits(4), char(' '), clock).parse(input)?;
    let (rest, part) = opt(fraction).parse(rest)?;
    let (nanos, tick) = part.unwrap_or((0, SECONDS));
    match whole(civil_ns(i64::from(year), month, day, h, m, s, nanos), None, tick) {
        Some(time) => Ok((rest, time)),
        None => fail(input),
    }
}

/// `Nov 22 17:52:14`, the form of RFC 3164: neither year nor zone. The year is set to 1970, for
/// 29 February to 1972, the first year after it that has one.
pub fn syslog_time(input: &[u8]) -> Parsed<'_, LogTime> {
    let (rest, (month, _, day, _, (h, m, s))) = (month, char(' '), day_column, char(' '), clock).parse(input)?;
    let (rest, part) = opt(fraction).parse(rest)?;
    let (nanos, tick) = part.unwrap_or((0, SECONDS));
    let year = if (month, day) == (2, 29) { 1972 } else { 1970 };
    match civil_ns(year, month, day, h, m, s, nanos) {
        Some(civil_ns) => Ok((rest, LogTime { civil_ns, offset_s: None, precision_ns: tick, yearless: true })),
        None => fail(input),
    }
}

/// Seconds since the epoch with or without a fraction (`$msec`), or milli-, micro- or nanoseconds:
/// the number of digits tells, since logs are from 2001 to 2286.
pub fn epoch_time(input: &[u8]) -> Parsed<'_, LogTime> {
    let (rest, text) = take_while_m_n(10, 19, |b: u8| b.is_ascii_digit()).parse(input)?;
    let Some(number) = super::number::integer(text).and_then(|n| i64::try_from(n).ok()) else { return fail(input) };
    let unit = match text.len() {
        10 => SECOND,
        13 => 1_000_000,
        16 => 1_000,
        19 => 1,
        _ => return fail(input),
    };
    let (rest, part) = if unit == SECOND { opt(fraction).parse(rest)? } else { (rest, None) };
    let (nanos, tick) = part.unwrap_or((0, unit));
    match number.checked_mul(unit).and_then(|n| n.checked_add(i64::from(nanos))) {
        Some(ns) => Ok((rest, LogTime { civil_ns: ns, offset_s: Some(0), precision_ns: tick, yearless: false })),
        None => fail(input),
    }
}

/// A whole value that is a time in one of the usual forms, brackets allowed.
pub fn any_time(value: &[u8]) -> Option<LogTime> {
    let inner = value.strip_prefix(b"[").and_then(|v| v.strip_suffix(b"]")).unwrap_or(value);
    let parsed = match inner {
        [_, _, b'/', ..] | [_, b'/', ..] => clf_time(inner),
        [_, _, _, _, b'-', ..] => iso_time(inner),
        [_, _, _, _, b'/', ..] => nginx_error_time(inner),
        [_, _, b'-', ..] => php_time(inner),
        [b'0'..=b'9', ..] => epoch_time(inner),
        _ => apache_error_time(inner),
    };
    match parsed {
        Ok((b"", time)) => Some(time),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn ns(text: &str) -> i64 {
        chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_nanos_opt().unwrap()
    }

    #[test]
    fn every_form_means_the_same_moment() {
        let want = ns("2026-11-22T12:30:52Z");
        for (form, offset) in [
            ("22/Nov/2026:12:30:52 +0000", Some(0)),
            ("[22/Nov/2026:12:30:52 -0330]", Some(-12_600)),
            ("2026/11/22 12:30:52", None),
            ("Sun Nov 22 12:30:52 2026", None),
            ("Sun Nov 22 12:30:52.000000 2026", None),
            ("2026-11-22T12:30:52+05:30", Some(19_800)),
            ("2026-11-22T12:30:52Z", Some(0)),
            ("2026-11-22 12:30:52 +0100", Some(3600)),
            ("22-Nov-2026 12:30:52", None),
            ("1795350652", Some(0)),
            ("1795350652000", Some(0)),
            ("1795350652.000", Some(0)),
        ] {
            let time = any_time(form.as_bytes()).expect(form);
            assert_eq!((time.civil_ns, time.offset_s), (want, offset), "{form}");
        }
    }

    #[test]
    fn fractions_set_the_tick() {
        let time = any_time(b"2026-11-22T12:30:52.123+00:00").unwrap();
        assert_eq!(time.civil_ns, ns("2026-11-22T12:30:52.123Z"));
        assert_eq!(time.precision_ns, 1_000_000);
        assert_eq!(any_time(b"1795350652.123").unwrap().precision_ns, 1_000_000);
        assert_eq!(any_time(b"Sun Nov 22 12:30:52.123456 2026").unwrap().precision_ns, 1_000);
    }

    #[test]
    fn what_no_calendar_has_is_refused() {
        for text in ["31/Apr/2026:00:00:00 +0000", "29/Feb/2025:00:00:00 +0000", "00/Jan/2026:00:00:00 +0000", "01/Jan/2026:24:00:00 +0000"]
        {
            assert_eq!(any_time(text.as_bytes()), None, "{text}");
        }
        assert!(any_time(b"29/Feb/2024:23:59:60 +0000").is_some());
        for text in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "99999999999999999999"] {
            assert_eq!(any_time(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        /// Byte by byte as by combinators, whatever stands in any place.
        #[test]
        fn nginx_times_both_ways(
            text in "[0-9]{4}/[01][0-9]/[0-3][0-9] [0-2][0-9]:[0-6][0-9]:[0-6][0-9][ 0-9]{0,3}", at in 0usize..24, byte: u8, change: bool,
        ) {
            let mut text = text.into_bytes();
            if let Some(b) = text.get_mut(at).filter(|_| change) {
                *b = byte;
            }
            let parts = (digits(4), char('/'), digits(2), char('/'), digits(2), char(' '), clock).parse(&text[..]).ok();
            let combined = parts.and_then(|(rest, (year, _, month, _, day, _, (h, m, s)))| {
                Some((rest, whole(civil_ns(i64::from(year), month, day, h, m, s, 0), None, SECONDS)?))
            });
            prop_assert_eq!(nginx_error_time(&text).ok(), combined);
        }

        #[test]
        fn civil_agrees_with_chrono(secs in -9_000_000_000i64..9_000_000_000) {
            use chrono::{Datelike, Timelike};
            let t = chrono::DateTime::from_timestamp(secs, 0).unwrap();
            let got = civil_ns(i64::from(t.year()), t.month(), t.day(), t.hour(), t.minute(), t.second(), 0);
            prop_assert_eq!(got, Some(secs * SECOND));
            let text = t.format("%d/%b/%Y:%H:%M:%S +0000").to_string();
            prop_assert_eq!(clf_time(text.as_bytes()).unwrap().1.civil_ns, secs * SECOND);
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = any_time(&bytes);
            let _ = syslog_time(&bytes);
            let _ = epoch_time(&bytes);
        }
    }
}
