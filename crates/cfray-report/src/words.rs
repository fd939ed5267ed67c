//! Numbers, spans and shares as people read them.

use cfray_model::serverconf::{ConfigFinding, ConfigReport};
use cfray_model::{Cause, Family, Stamp};

/// `1,234,567`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `3 files`.
pub fn count(n: u64, one: &str) -> String {
    format!("{} {one}{}", number(n), if n == 1 { "" } else { "s" })
}

/// `96 %`, `<1 %`.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    let share = 100.0 * part as f64 / whole as f64;
    if part > 0 && share < 1.0 {
        return "<1 %".to_owned();
    }
    if part < whole && share > 99.0 {
        return ">99 %".to_owned();
    }
    format!("{share:.0} %")
}

/// A probability: `0.93`.
pub fn sure(p: f64) -> String {
    format!("{p:.2}")
}

/// Seconds: `40 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.abs().round() as u64;
    let sign = if seconds < 0.0 { "−" } else { "" };
    match whole {
        _ if seconds.abs() < 1.0 => format!("{sign}{:.0} ms", seconds.abs() * 1000.0),
        0..=99 => format!("{sign}{whole} s"),
        100..=5999 if whole.is_multiple_of(60) => format!("{sign}{} min", whole / 60),
        100..=5999 => format!("{sign}{} min {} s", whole / 60, whole % 60),
        _ if whole % 3600 < 60 => format!("{sign}{} h", whole / 3600),
        _ => format!("{sign}{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// What a source does not cover, beside the gaps in it: "access.log.2 is missing; written in blocks, ...". Empty: nothing
/// is known to be missing.
pub fn uncovered(s: &cfray_model::report::SourceSummary) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !s.gaps.is_empty() {
        let gaps: Vec<String> = s.gaps.iter().map(|(from, to)| span(Some(*from), Some(*to))).collect();
        parts.push(format!("no lines {}", gaps.join(", ")));
    }
    if !s.missing_files.is_empty() {
        let verb = if s.missing_files.len() == 1 { "is" } else { "are" };
        let names: Vec<&str> = s.missing_files.iter().map(|n| n.rsplit('/').next().unwrap_or(n)).collect();
        parts.push(format!("{} {verb} missing", names.join(", ")));
    }
    if s.buffered {
        parts.push("written in blocks (buffer=), so its last lines may be missing".to_owned());
    }
    parts.join("; ")
}

/// What a source covers, for tables: span, what is missing in it, whom it speaks for, its lowest level, whether it carries rays.
pub fn covers(s: &cfray_model::report::SourceSummary) -> String {
    let mut parts: Vec<String> = Vec::new();
    if s.first.is_some() || s.last.is_some() {
        parts.push(span(s.first, s.last));
    }
    parts.extend(Some(uncovered(s)).filter(|text| !text.is_empty()));
    if !s.hosts.is_empty() {
        parts.push(format!("of {}", s.hosts.join(", ")));
    }
    if !s.lowest_level.is_empty() {
        parts.push(format!("lowest level {}", s.lowest_level));
    }
    if s.has_ray && !s.info.server.is_empty() {
        parts.push("has rays".to_owned());
    }
    parts.join("; ")
}

/// `2026-11-22 10:02:11`.
pub fn moment(stamp: Stamp) -> String {
    shaped(stamp, "%Y-%m-%d %H:%M:%S")
}

/// `10:02:11`.
pub fn clock(stamp: Stamp) -> String {
    shaped(stamp, "%H:%M:%S")
}

/// A time in any shape of chrono's.
pub fn shaped(stamp: Stamp, shape: &str) -> String {
    chrono::DateTime::from_timestamp(stamp.secs(), 0).map(|t| t.format(shape).to_string()).unwrap_or_default()
}

/// `2026-11-22 10:02:11 – 10:19:40`: the day once when it is the same.
pub fn span(from: Option<Stamp>, to: Option<Stamp>) -> String {
    match (from, to) {
        (Some(from), Some(to)) if from.secs() == to.secs() => moment(from),
        (Some(from), Some(to)) if from.secs().div_euclid(86_400) == to.secs().div_euclid(86_400) => {
            format!("{} – {}", moment(from), clock(to))
        }
        (Some(from), Some(to)) => format!("{} – {}", moment(from), moment(to)),
        (Some(one), None) | (None, Some(one)) => moment(one),
        (None, None) => "time not known".to_owned(),
    }
}

/// `520` for the chosen statuses: what the incidents are called.
pub fn incidents(statuses: &str, n: u64) -> String {
    let name = if statuses.is_empty() { "520" } else { statuses };
    if name.bytes().all(|b| b.is_ascii_digit()) {
        format!("{name}{}", if n == 1 { "" } else { "s" })
    } else {
        format!("answer{} with status {name}", if n == 1 { "" } else { "s" })
    }
}

/// What a neighbouring status means, one clause.
pub fn neighbour(cause: Cause) -> &'static str {
    match cause {
        Cause::OriginRefused => "the origin refused the connection: not running, or a firewall rejects",
        Cause::ConnectTimeout => "no answer to the connection attempt: overloaded, or a firewall drops",
        Cause::OriginUnreachable => "no route to the origin: wrong address or network down",
        Cause::ResponseTimeout => "connected, but no answer in time: a slow page or a stuck worker",
        Cause::TlsHandshake => "the TLS handshake with the origin failed",
        Cause::TlsCertificate => "the origin's certificate is not valid for Full (strict)",
        Cause::Railgun => "Railgun, which Cloudflare has retired",
        Cause::OriginDns => "the origin's name did not resolve (see the 1xxx code in the page)",
        _ => "",
    }
}

/// Families as colours: what to look at first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// Something broke at the origin.
    Broken,
    /// Something was refused on purpose.
    Refused,
    /// Protocol, size, timing.
    Wire,
    /// Cloudflare or DNS.
    Edge,
    /// Not known.
    Unknown,
}

/// The tone of a cause.
pub fn tone(cause: Cause) -> Tone {
    match cause.family() {
        Family::OriginCrash | Family::Plugin => Tone::Broken,
        Family::Blocked | Family::OriginPull | Family::Request => Tone::Refused,
        Family::Headers | Family::Keepalive | Family::Malformed | Family::Http2 => Tone::Wire,
        Family::Dns | Family::Edge | Family::Neighbour => Tone::Edge,
        Family::Unknown => Tone::Unknown,
    }
}

/// What was read of server configuration, one sentence.
pub fn config_read(config: &ConfigReport) -> String {
    let read: Vec<String> = config
        .sources
        .iter()
        .take(6)
        .map(|s| {
            let part = if s.whole { "" } else { ", a fragment: defaults are not judged" };
            format!("{} ({}, {}{part})", s.name, s.software.title(), count(s.files, "file"))
        })
        .collect();
    let more = config.sources.len().saturating_sub(6);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("Read {}{more}; Cloudflare's networks: {}. Advice, not a verdict.", read.join(", "), config.ranges)
}

/// Effective value, part and place of a finding.
pub fn config_place(f: &ConfigFinding) -> String {
    let line = f.line.map_or(String::new(), |n| format!(":{n}"));
    format!("{}; {}; {}{line}", f.value, f.place, f.file)
}

/// Causes of a finding, by name.
pub fn config_causes(f: &ConfigFinding) -> String {
    f.causes.iter().map(|c| c.name()).collect::<Vec<_>>().join(", ")
}

/// What could not be read of server configuration, by file and line.
pub fn config_problems(config: &ConfigReport) -> Vec<String> {
    config.sources.iter().flat_map(|s| &s.problems).map(|p| format!("{}:{}: {}", p.file, p.line, p.what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        assert_eq!(number(0), "0");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(
            (percent(1, 1000), percent(999, 1000), percent(1, 2), percent(1, 0)),
            ("<1 %".into(), ">99 %".into(), "50 %".into(), String::new())
        );
        assert_eq!(
            (duration(0.04), duration(12.4), duration(200.0), duration(-7500.0)),
            ("40 ms".into(), "12 s".into(), "3 min 20 s".into(), "−2 h 5 min".into())
        );
        assert_eq!(span(Some(Stamp::from_secs(0)), Some(Stamp::from_secs(61))), "1970-01-01 00:00:00 – 00:01:01");
        assert_eq!(incidents("520", 1), "520");
        assert_eq!(incidents("520-527,530", 2), "answers with status 520-527,530");
    }
}
