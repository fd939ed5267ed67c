//! Timestamps of edge rows, in every form that exports use.

use cfray_model::time::{LATEST_NS, MILLI, SECOND};

/// A point in time with the width of its tick, both in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct EdgeTime {
    /// Nanoseconds since the epoch.
    pub ns: i64,
    /// Width of one tick of the form it was written in.
    pub precision_ns: i64,
}

/// Reads RFC 3339 (with any fraction), `YYYY-MM-DD hh:mm:ss` (UTC), and unix numbers in seconds,
/// milliseconds, microseconds or nanoseconds (told apart by magnitude).
///
/// Zero, Go's zero time and what lies outside the years 1970 to 2099 mean "no time": so neither the distance of two times nor
/// what is added to one for windows and uncertainty leaves 64 bits.
pub(crate) fn parse(text: &[u8]) -> Option<EdgeTime> {
    let text = text.trim_ascii();
    let time = match text {
        [_, _, _, _, b'-', ..] => civil(text),
        _ => number(text),
    };
    time.filter(|time| (0..=LATEST_NS).contains(&time.ns))
}

/// Unix time. A whole number of ms, µs or ns counts as precise to the millisecond: its trailing
/// digits cannot tell a coarse clock from a round moment, and no cfray window is finer.
fn number(text: &[u8]) -> Option<EdgeTime> {
    if let Some(value) = digits(text) {
        // The forms that exports use; what is below says the same of all others.
        let (scale, precision_ns) = match value {
            0 => return None,
            1..100_000_000_000 => (1_000_000_000, SECOND),
            100_000_000_000..100_000_000_000_000 => (1_000_000, MILLI),
            100_000_000_000_000..100_000_000_000_000_000 => (1_000, MILLI),
            _ => (1, MILLI),
        };
        return Some(EdgeTime { ns: i64::try_from(value.checked_mul(scale)?).ok()?, precision_ns });
    }
    let nanos = nano_decimal(text)?;
    const NANO: i128 = 1_000_000_000;
    let size = nanos.unsigned_abs() / NANO as u128;
    let (ns, precision_ns) = if size < 100_000_000_000 {
        let exponent = text.iter().any(|b| matches!(b, b'e' | b'E'));
        let exact = if exponent { nanos % NANO != 0 } else { text.contains(&b'.') };
        (nanos, if exact { MILLI } else { SECOND })
    } else if size < 100_000_000_000_000 {
        (nanos / 1_000, MILLI)
    } else if size < 100_000_000_000_000_000 {
        (nanos / 1_000_000, MILLI)
    } else {
        (nanos / NANO, MILLI)
    };
    let ns = i64::try_from(ns).ok().filter(|&ns| ns != 0)?;
    Some(EdgeTime { ns, precision_ns })
}

/// A number of 1 to 19 digits, which fits into 64 bits.
#[inline]
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    let mut rest = text;
    while let Some((block, tail)) = rest.split_first_chunk::<8>() {
        value = value * 100_000_000 + eight(u64::from_le_bytes(*block))?;
        rest = tail;
    }
    if let Some(last) = text.last_chunk::<8>()
        && !rest.is_empty()
    {
        // Those before the rest have been counted: zeros stand in for them.
        let counted = (1 << (8 * (8 - rest.len()))) - 1;
        let last = eight(u64::from_le_bytes(*last) & !counted | ZEROS & counted)?;
        return Some(value * TENS.get(rest.len())? + last);
    }
    for &b in rest {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Eight times the digit 0.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// Powers of ten.
const TENS: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Eight digits at once: neighbours are joined to pairs, pairs to fours, fours to the number.
#[inline]
fn eight(text: u64) -> Option<u64> {
    const TOP: u64 = 0x8080_8080_8080_8080;
    let digits = text ^ ZEROS;
    // A byte above 9 reaches the top bit when 0x76 is added, one above 0x7f has it already.
    if ((digits & !TOP).wrapping_add(0x7676_7676_7676_7676) | digits) & TOP != 0 {
        return None;
    }
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)) & 0xffff_ffff)
}

/// A decimal number times 10^9, exactly; digits beyond that are dropped. `None` for other text and
/// for more than 20 digits before the point.
pub(crate) fn nano_decimal(text: &[u8]) -> Option<i128> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(e) => (text.get(..e)?, std::str::from_utf8(text.get(e + 1..)?).ok()?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let point = mantissa.iter().position(|&b| b == b'.').unwrap_or(mantissa.len());
    let whole = mantissa.get(..point)?;
    let fraction = mantissa.get(point + 1..).unwrap_or_default();
    if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) || !(-40..=40).contains(&exponent) {
        return None;
    }
    let mut value: i128 = 0;
    // Shift of the digit that is read next, as a power of ten of the result.
    let mut shift = i32::try_from(whole.len()).ok()? - 1 + exponent + 9;
    for &digit in whole.iter().chain(fraction) {
        if shift < 0 {
            break;
        }
        if digit != b'0' || value != 0 {
            // 10^29 is the largest power a sane number has here (20 digits before the point).
            if shift > 29 {
                return None;
            }
            value = value.checked_add(i128::from(digit - b'0').checked_mul(10i128.checked_pow(shift.unsigned_abs())?)?)?;
        }
        shift -= 1;
    }
    Some(if negative { -value } else { value })
}

/// Two digits.
fn two(text: &[u8], at: usize) -> Option<i64> {
    match text.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years begin in March, so that the leap day is the last of its year.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * m + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// `YYYY-MM-DD`, `T`, `t` or a space, `hh:mm:ss`, an optional fraction, an optional zone.
fn civil(text: &[u8]) -> Option<EdgeTime> {
    let head = text.first_chunk::<19>()?;
    if head[7] != b'-' || !matches!(head[10], b'T' | b't' | b' ' | b'_') || head[13] != b':' || head[16] != b':' {
        return None;
    }
    let day = days(two(head, 0)? * 100 + two(head, 2)?, two(head, 5)?, two(head, 8)?)?;
    let (hour, minute, second) = (two(head, 11)?, two(head, 14)?, two(head, 17)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut seconds = day * 86_400 + hour * 3600 + minute * 60 + second;
    let mut rest = text.get(19..)?;
    let mut nanos = 0i64;
    let mut precision_ns = SECOND;
    if let [b'.' | b',', tail @ ..] = rest {
        let digits = tail.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        for &digit in tail.iter().take(digits.min(9)) {
            precision_ns /= 10;
            nanos += i64::from(digit - b'0') * precision_ns;
        }
        rest = tail.get(digits..)?;
    }
    seconds -= offset(rest)?;
    let ns = seconds.checked_mul(SECOND)?.checked_add(nanos)?;
    Some(EdgeTime { ns, precision_ns })
}

/// Zone in seconds east of UTC; without one the time is UTC.
fn offset(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (sign, digits) = match text {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ if text.eq_ignore_ascii_case(b"utc") || text.eq_ignore_ascii_case(b"gmt") => return Some(0),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (two(digits, 0)?, 0),
        4 => (two(digits, 0)?, two(digits, 2)?),
        5 if digits.get(2) == Some(&b':') => (two(digits, 0)?, two(digits, 3)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cfray_model::Stamp;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(i64, i64)> {
        parse(text.as_bytes()).map(|t| (t.ns, t.precision_ns))
    }

    #[test]
    fn every_written_form() {
        let at = 1_795_350_559i64;
        for (text, ns, precision) in [
            ("2026-11-22T12:29:19Z", at * SECOND, SECOND),
            ("2026-11-22 12:29:19", at * SECOND, SECOND),
            ("2026-11-22T12:29:19.018Z", at * SECOND + 18_000_000, MILLI),
            ("2026-11-22T12:29:19.018882123Z", at * SECOND + 18_882_123, 1),
            ("2026-11-22T17:59:19.5+05:30", at * SECOND + 500_000_000, 100_000_000),
            ("2026-11-22T06:29:19-0600", at * SECOND, SECOND),
            ("1795350559", at * SECOND, SECOND),
            ("1795350559.25", at * SECOND + 250_000_000, MILLI),
            ("1795350559018", at * SECOND + 18_000_000, MILLI),
            ("1795350559018882", at * SECOND + 18_882_000, MILLI),
            ("1506702504433000200", 1_506_702_504_433_000_200, MILLI),
            ("1.795350559e9", at * SECOND, SECOND),
            ("1.795350559018e+12", at * SECOND + 18_000_000, MILLI),
        ] {
            assert_eq!(read(text), Some((ns, precision)), "{text}");
        }
    }

    #[test]
    fn no_time() {
        for text in [
            "",
            "0",
            "-",
            "null",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1677-09-21T00:12:44Z",
            "2262-04-11T23:47:16Z",
            "9223372036854775807",
            "-9223372036854775808",
            "-1",
            "2026-02-29T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22",
            "2026-11-22T12:29:19.Z",
            "2026-11-22T12:29:19+99:00",
            "99999999999999999999999",
            "1e400",
            "1e40",
            ".5",
            "12a",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_by_both_ways(text in "[0-9]{1,19}", odd in "[0-9/:a\\-. ]{1,20}") {
            let value: u64 = text.parse().unwrap();
            prop_assert_eq!(digits(text.as_bytes()), Some(value));
            prop_assert_eq!(nano_decimal(text.as_bytes()), Some(i128::from(value) * 1_000_000_000));
            prop_assert_eq!(digits(odd.as_bytes()), if odd.bytes().all(|b| b.is_ascii_digit()) { odd.parse().ok().filter(|_| odd.len() < 20) } else { None });
            // A sign or a blank fraction sends the same number the long way round.
            let long_way = read(&format!("{text}.0")).map(|t| t.0);
            let whole = read(&text).map(|t| t.0);
            prop_assert!(whole == long_way, "{:?} {:?}", whole, long_way);
        }

        #[test]
        fn any_eight_bytes(bytes in any::<[u8; 8]>()) {
            let expected = std::str::from_utf8(&bytes).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit())).and_then(|t| t.parse().ok());
            prop_assert_eq!(eight(u64::from_le_bytes(bytes)), expected);
        }

        #[test]
        fn agrees_with_what_reports_print(ms in 0i64..4_102_444_800_000) {
            prop_assume!(ms != 0);
            let stamp = Stamp(ms * MILLI);
            prop_assert_eq!(read(&stamp.to_rfc3339_ms()), Some((stamp.0, MILLI)));
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn digits_in_any_place(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?[Z+-]?[0-9:]{0,5}") {
            let _ = parse(text.as_bytes());
        }
    }
}
