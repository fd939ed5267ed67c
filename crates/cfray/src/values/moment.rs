//! `--since` and `--until`: a date and time, or how long ago.

use cfray_model::Stamp;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use std::str::FromStr;

/// A point in time as the user wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Moment {
    /// Absolute.
    At(Stamp),
    /// So many seconds before the run.
    Ago(i64),
}

const FORMATS: &[&str] = &["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

impl Moment {
    /// The point in time, when the run happens at `now`.
    pub fn at(&self, now: Stamp) -> Stamp {
        match self {
            Self::At(stamp) => *stamp,
            Self::Ago(seconds) => Stamp(now.0.saturating_sub(Stamp::from_secs(*seconds).0)),
        }
    }
}

/// Reads an absolute time; without an offset it is UTC.
pub fn absolute(text: &str) -> Option<Stamp> {
    let text = text.trim();
    let (text, _) = text.strip_suffix(" UTC").map_or((text, false), |t| (t, true));
    let utc = if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        zoned.to_utc()
    } else if let Some(naive) = FORMATS.iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok()) {
        naive.and_utc()
    } else {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc()
    };
    utc.timestamp_nanos_opt().map(Stamp)
}

/// Reads `90s`, `30m`, `2h`, `1h30m`, `3d`, `1w`, also followed by ` ago`, as seconds.
fn ago(text: &str) -> Option<i64> {
    let text = text.trim();
    let mut rest = text.strip_suffix("ago").map_or(text, str::trim_end);
    let mut seconds = 0i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let (unit, length) = match rest.chars().next()? {
            's' => (1, 1),
            'm' if rest.starts_with("min") => (60, 3),
            'm' => (60, 1),
            'h' => (3600, 1),
            'd' => (86_400, 1),
            'w' => (604_800, 1),
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(length..)?.trim_start();
    }
    Some(seconds)
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        absolute(text).map(Self::At).or_else(|| ago(text).map(Self::Ago)).ok_or_else(|| {
            "not a time; write 2026-11-22T10:00:00Z, \"2026-11-22 10:00\" (UTC unless an offset is given) or 2h for two hours ago"
                .to_owned()
        })
    }
}

super::deserialize_from_str!(Moment);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn one_moment_in_many_spellings() {
        let want = Moment::At(Stamp::from_secs(1_795_341_600));
        for text in [
            "2026-11-22T10:00:00Z",
            "2026-11-22T10:00:00.000Z",
            "2026-11-22T11:00:00+01:00",
            "2026-11-22T10:00",
            "2026-11-22 10:00",
            "2026-11-22 10:00:00",
            "2026-11-22 10:00:00 UTC",
            " 2026-11-22 10:00 ",
        ] {
            assert_eq!(text.parse::<Moment>(), Ok(want.clone()), "{text}");
        }
        assert_eq!("2026-11-22".parse(), Ok(Moment::At(Stamp::from_secs(1_795_305_600))));
    }

    #[test]
    fn lengths_count_back_from_the_run() {
        let now = Stamp::from_secs(1_000_000);
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("30min", 1800),
            ("2h", 7200),
            ("2h ago", 7200),
            ("1h30m", 5400),
            ("1d 2h", 93_600),
            ("1w", 604_800),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().at(now), Stamp::from_secs(1_000_000 - seconds), "{text}");
        }
    }

    #[test]
    fn others_are_refused_with_the_forms_that_work() {
        for text in ["", "ago", "2", "h", "2x", "yesterday", "2026-13-01", "2026-11-22T25:00:00Z", "99999999999999999999h", "22/11/2026"] {
            let error = text.parse::<Moment>().unwrap_err();
            assert!(error.contains("2026-11-22 10:00"), "{text}: {error}");
        }
    }
}
