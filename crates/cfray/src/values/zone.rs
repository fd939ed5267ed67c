//! Time zones: an IANA name or an offset from UTC.

use cfray_causes::settings::ZoneSpec;
use std::str::FromStr;

/// A zone as the user wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Zone(pub ZoneSpec);

/// `+05:30`, `-0800`, `+2` as seconds east of UTC; `None` for anything else.
fn offset(text: &str) -> Option<i32> {
    let text = text.strip_prefix("UTC").or_else(|| text.strip_prefix("GMT")).unwrap_or(text);
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() == 4 => digits.split_at_checked(2)?,
        None => (digits, "0"),
    };
    let number = |part: &str| {
        (1..=2)
            .contains(&part.len())
            .then(|| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i32>().ok()))
            .flatten()
            .flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if matches!(text, "Z" | "z" | "UTC" | "utc" | "GMT") {
            return Ok(Self(ZoneSpec::Fixed(0)));
        }
        if let Some(seconds) = offset(text) {
            return Ok(Self(ZoneSpec::Fixed(seconds)));
        }
        let named = chrono_tz::TZ_VARIANTS.iter().find(|tz| tz.name().eq_ignore_ascii_case(text));
        named
            .map(|tz| Self(ZoneSpec::Named(*tz)))
            .ok_or_else(|| format!("{text:?} is no time zone; write a name such as Europe/Berlin, or an offset such as +05:30"))
    }
}

super::deserialize_from_str!(Zone);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_offsets() {
        for (text, seconds) in
            [("Z", 0), ("UTC", 0), ("+05:30", 19_800), ("-0800", -28_800), ("+2", 7200), ("UTC+1", 3600), ("-3:30", -12_600)]
        {
            assert_eq!(text.parse(), Ok(Zone(ZoneSpec::Fixed(seconds))), "{text}");
        }
        assert_eq!("Asia/Kolkata".parse(), Ok(Zone(ZoneSpec::Named(chrono_tz::Asia::Kolkata))));
        assert_eq!("europe/berlin".parse(), Ok(Zone(ZoneSpec::Named(chrono_tz::Europe::Berlin))));
        for bad in ["", "+", "+5:3x", "+25:00", "+01:75", "Mars/Olympus", "+0530x", "5:30"] {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
    }
}
