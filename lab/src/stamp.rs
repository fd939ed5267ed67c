//! Times in log lines: find, shift, compare. Every format the lab's servers write.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Pattern, and how a civil time is printed in its place. Group `t` is what is replaced.
static FORMATS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"^(?<t>(?<y>\d{4})/(?<n>\d\d)/(?<d>\d\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d))", "%Y/%m/%d %H:%M:%S"),
        (r"\[(?<t>(?<d>\d\d)/(?<b>[A-Z][a-z]{2})/(?<y>\d{4}):(?<h>\d\d):(?<m>\d\d):(?<s>\d\d))[ .]", "%d/%b/%Y:%H:%M:%S"),
        (r#""time_local":"(?<t>(?<d>\d\d)/(?<b>[A-Z][a-z]{2})/(?<y>\d{4}):(?<h>\d\d):(?<m>\d\d):(?<s>\d\d)) "#, "%d/%b/%Y:%H:%M:%S"),
        (
            r"^\[(?<t>[A-Z][a-z]{2} (?<b>[A-Z][a-z]{2}) (?<d>\d\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d))(\.\d+)? (?<y>\d{4})\]",
            "%a %b %d %H:%M:%S",
        ),
        (r"^\[(?<t>(?<d>\d\d)-(?<b>[A-Z][a-z]{2})-(?<y>\d{4}) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d))", "%d-%b-%Y %H:%M:%S"),
        (r#""(?:t|ts|time|@timestamp)":"(?<t>(?<y>\d{4})-(?<n>\d\d)-(?<d>\d\d)T(?<h>\d\d):(?<m>\d\d):(?<s>\d\d))"#, "%Y-%m-%dT%H:%M:%S"),
        (r"^(?<t>(?<y>\d{4})-(?<n>\d\d)-(?<d>\d\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)),", "%Y-%m-%d %H:%M:%S"),
        (r"^(?<t>(?<y>\d{4})-(?<n>\d\d)-(?<d>\d\d)T(?<h>\d\d):(?<m>\d\d):(?<s>\d\d))\.\d+Z ", "%Y-%m-%dT%H:%M:%S"),
        (r"^\[(?<t>(?<y>\d{4})-(?<n>\d\d)-(?<d>\d\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)) ", "%Y-%m-%d %H:%M:%S"),
        // lighttpd, uWSGI (its lines and its requests), Monolog, Tomcat.
        (r"^(?<t>(?<y>\d{4})-(?<n>\d\d)-(?<d>\d\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)): ", "%Y-%m-%d %H:%M:%S"),
        (r"^(?<t>[A-Z][a-z]{2} (?<b>[A-Z][a-z]{2}) (?<d>[ \d]\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)) (?<y>\d{4}) - ", "%a %b %e %H:%M:%S"),
        (r"\[(?<t>[A-Z][a-z]{2} (?<b>[A-Z][a-z]{2}) (?<d>[ \d]\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)) (?<y>\d{4})\] ", "%a %b %e %H:%M:%S"),
        (r"^\[(?<t>(?<y>\d{4})-(?<n>\d\d)-(?<d>\d\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d))\] ", "%Y-%m-%d %H:%M:%S"),
        (r"^(?<t>(?<d>\d\d)-(?<b>[A-Z][a-z]{2})-(?<y>\d{4}) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d))\.\d{3} ", "%d-%b-%Y %H:%M:%S"),
        (r"^(?<t>(?<b>[A-Z][a-z]{2}) (?<d>[ \d]\d) (?<h>\d\d):(?<m>\d\d):(?<s>\d\d)) ", "%b %e %H:%M:%S"),
    ]
    .into_iter()
    .map(|(re, f)| (Regex::new(re).expect("static"), f))
    .collect()
});

static MSEC: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""msec":"(\d+)\.(\d{3})""#).expect("static"));

fn civil(c: &Captures<'_>, year: i16) -> Option<DateTime> {
    let n = |name: &str| c.name(name).and_then(|m| m.as_str().trim().parse::<i8>().ok());
    let month = match c.name("b") {
        Some(b) => MONTHS.iter().position(|m| *m == b.as_str())? as i8 + 1,
        None => n("n")?,
    };
    let year = c.name("y").and_then(|m| m.as_str().parse().ok()).unwrap_or(year);
    DateTime::new(year, month, n("d")?, n("h")?, n("m")?, n("s")?, 0).ok()
}

/// The moment a line says, taken as local time of `tz` unless the line says it is UTC.
pub fn moment(line: &str, tz: &TimeZone, year: i16) -> Option<Timestamp> {
    let head = line.get(..line.len().min(600)).unwrap_or(line);
    let utc = head.starts_with('[') && head.get(..30).is_some_and(|h| h.contains(" UTC]"));
    let tz = if utc { TimeZone::UTC } else { tz.clone() };
    FORMATS.iter().find_map(|(re, _)| {
        let c = re.captures(head)?;
        civil(&c, year)?.to_zoned(tz.clone()).ok().map(|z| z.timestamp())
    })
}

/// Moves every time in the line, as a server's wrong clock would.
pub fn shift(line: &str, seconds: i64, year: i16) -> String {
    let by = SignedDuration::from_secs(seconds);
    let mut line = line.to_owned();
    for (re, format) in FORMATS.iter() {
        let Some(c) = re.captures(&line) else { continue };
        let (Some(t), Some(at)) = (civil(&c, year), c.name("t")) else { continue };
        let text = t.saturating_add(by).strftime(format).to_string();
        let range = at.range();
        line.replace_range(range, &text);
    }
    MSEC.replace(&line, |c: &Captures<'_>| {
        let s: i64 = c[1].parse().unwrap_or(0);
        format!(r#""msec":"{}.{}""#, s + seconds, &c[2])
    })
    .into_owned()
}
