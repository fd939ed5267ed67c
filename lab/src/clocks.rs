//! `lab clocks`: are zones and skews recovered?
//!
//! Every stamp of a recording's origin logs is moved to another zone and by a skew, zone texts with them; epoch stamps
//! by the skew alone, as on a real machine. What cfray measures is compared with what was done.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Result;
use cfray_causes::clocks::How;
use cfray_model::time::SECOND;
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil::Date};
use regex::{Captures, Regex};
use serde_json::Value;

use crate::joined::{self, Scratch};
use crate::stamp;

/// Zone in seconds east of UTC, its texts, and the skew in seconds.
struct Move {
    name: &'static str,
    zone_s: i64,
    clf: &'static str,
    iso: &'static str,
    skew_s: i64,
}

const MOVES: &[Move] = &[
    Move { name: "newyork-90", zone_s: -18_000, clf: "-0500", iso: "-05:00", skew_s: -90 },
    Move { name: "kolkata+45", zone_s: 19_800, clf: "+0530", iso: "+05:30", skew_s: 45 },
    Move { name: "kathmandu-90", zone_s: 20_700, clf: "+0545", iso: "+05:45", skew_s: -90 },
    Move { name: "kathmandu+45", zone_s: 20_700, clf: "+0545", iso: "+05:45", skew_s: 45 },
];

static MSEC: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#""msec":"?(\d{10})\.(\d{3})"#).expect("static"));
static CLF_ZONE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(\d{4}:\d\d:\d\d:\d\d(?:\.\d+)?) [+-]\d{4}").expect("static"));
static BRACKET_ZONE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) [+-]\d{4}\]").expect("static"));
static ISO_ZONE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)").expect("static"));
static SYSLOG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \S+ [^ :]+: )(.*)$").expect("static"));

/// What a source's clock should be, and what it was found to be, in seconds.
struct Found {
    by: &'static str,
    off_s: f64,
    error_s: f64,
    tolerance_s: f64,
    what: String,
}

pub fn main(args: &[String]) -> Result<()> {
    let options = joined::options(args, &["--recordings", "--keep"])?;
    let dirs: Vec<PathBuf> = options.get("--recordings").into_iter().flatten().map(PathBuf::from).collect();
    let keep = options.get("--keep").and_then(|v| v.last()).map(PathBuf::from);
    let scratch = Scratch::new("clocks")?;
    let mut all: Vec<(&str, Found)> = Vec::new();
    for folder in joined::folders(&dirs)? {
        for by in MOVES {
            let target = keep.as_ref().unwrap_or(&scratch.0).join(format!("{}~{}", joined::name(&folder), by.name));
            all.extend(one(&folder, &target, by)?.into_iter().map(|f| (by.name, f)));
            if keep.is_none() {
                let _ = std::fs::remove_dir_all(&target);
            } else if folder.join("truth.csv").exists() {
                std::fs::write(target.join("truth.csv"), std::fs::read(folder.join("truth.csv"))?)?;
            }
        }
    }
    println!("| moved to | clock from | sources | within tolerance | within its own error | worst, s |\n|---|---|---|---|---|---|");
    for by in MOVES {
        for how in ["ray", "request", "machine", "borrowed", "stated", "none"] {
            let list: Vec<&Found> = all.iter().filter(|(name, f)| *name == by.name && f.by == how).map(|(_, f)| f).collect();
            if list.is_empty() {
                continue;
            }
            let good = list.iter().filter(|f| f.off_s.abs() <= f.tolerance_s).count();
            let honest = list.iter().filter(|f| f.off_s.abs() <= f.error_s + 0.5).count();
            let worst = list.iter().map(|f| f.off_s.abs()).fold(0.0, f64::max);
            println!("| {} | {how} | {} | {good} | {honest} | {worst:.2} |", by.name, list.len());
        }
    }
    println!("\nOutside:");
    for (name, f) in all.iter().filter(|(_, f)| f.by != "none" && f.off_s.abs() > f.tolerance_s) {
        println!("  {name} {}: {:+.1} s by {}", f.what, f.off_s, f.by);
    }
    Ok(())
}

fn one(folder: &Path, target: &Path, by: &Move) -> Result<Vec<Found>> {
    let scenario: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("scenario.json"))?)?;
    let zone = TimeZone::get(scenario["time_zone"].as_str().unwrap_or("UTC"))?;
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
    let logs = folder.join("logs");
    let before = joined::world(&logs);
    let began = before.edge.counters.first.map_or(0, |t| t.secs());
    let at = Timestamp::from_second(began)?;
    let zone_s = i64::from(zone.to_offset(at).seconds());
    let year = at.to_zoned(zone).year();
    let digits = by.zone_s - zone_s + by.skew_s;
    joined::copy(&logs, &target.join("logs"), &mut |_, line| moved(line, digits, by, year))?;
    let logs = target.join("logs");
    let w = joined::world(&logs);
    let mut out = Vec::new();
    for (i, scan) in w.scans.iter().enumerate() {
        if scan.first_ns.is_none() {
            continue;
        }
        let file = scan.info.name.trim_start_matches(&logs.display().to_string()).trim_start_matches('/').to_owned();
        let skew = own_skew(&scenario, &readme, &file) + by.skew_s;
        let what = format!("{}/{file}", joined::name(folder));
        let Some((clock, zoned)) = w.clocks.main(i) else {
            out.push(Found { by: "none", off_s: f64::NAN, error_s: 0.0, tolerance_s: 0.0, what });
            continue;
        };
        let written = if zoned { scan.written_zone_s().unwrap_or(0) } else { 0 };
        let total = written as f64 + clock.shift_ns as f64 / SECOND as f64;
        // Lines that say UTC, and seconds since the epoch, know no zone.
        let wanted = if zoned && written == 0 { skew } else { by.zone_s + skew };
        let (by, tolerance_s) = match clock.how {
            How::Rays(_) => ("ray", 1.0),
            How::Requests(_) => ("request", 2.0),
            How::Machine(_) => ("machine", 2.0),
            How::Borrowed => ("borrowed", 2.0),
            How::Given | How::Stated => ("stated", 2.0),
        };
        out.push(Found { by, off_s: total - wanted as f64, error_s: clock.error_ns as f64 / SECOND as f64, tolerance_s, what });
    }
    Ok(out)
}

/// The skew that the recording was made with: of all logs, or of one server's directory.
fn own_skew(scenario: &Value, readme: &str, file: &str) -> i64 {
    let dir = file.split('/').next().unwrap_or_default();
    let own = readme.lines().find_map(|l| l.strip_prefix(&format!("Clock of {dir} moved by "))?.split(' ').next()?.parse().ok());
    own.unwrap_or_else(|| scenario["clock_skew_s"].as_i64().unwrap_or(0))
}

/// One line with its stamps moved: digits by `digits` seconds, those that say UTC and epochs by the skew alone.
fn moved(line: &str, digits: i64, by: &Move, year: i16) -> String {
    if line.starts_with('{')
        && let Ok(mut value) = serde_json::from_str::<Value>(line)
        && value.get("__REALTIME_TIMESTAMP").is_some()
    {
        let stamp = value["__REALTIME_TIMESTAMP"].as_str().and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
        value["__REALTIME_TIMESTAMP"] = Value::from((stamp + by.skew_s * 1_000_000).to_string());
        if let Some(message) = value["MESSAGE"].as_str() {
            value["MESSAGE"] = Value::from(moved(message, digits, by, year));
        }
        return value.to_string();
    }
    if let Some(c) = SYSLOG.captures(line) {
        let head = stamp::shift(&c[1], digits, year);
        return format!("{head}{}", moved(&c[2], digits, by, year));
    }
    let utc = line.starts_with('[') && line.get(..line.len().min(30)).is_some_and(|h| h.contains(" UTC]"));
    if utc {
        return stamp::shift(line, by.skew_s, year);
    }
    let epoch = MSEC.captures(line).and_then(|c| c[1].parse::<i64>().ok());
    let iso = ISO_ZONE.replace(line, |c: &Captures<'_>| iso_moved(c, digits, by).unwrap_or_else(|| c[0].to_owned())).into_owned();
    // Where the ISO stamp was the one that `shift` moves as well, it is moved already.
    let line = if iso == line { stamp::shift(line, digits, year) } else { iso };
    let line = CLF_ZONE.replace(&line, |c: &Captures<'_>| format!("{} {}", &c[1], by.clf)).into_owned();
    let line = BRACKET_ZONE.replace(&line, |c: &Captures<'_>| format!("{} {}]", &c[1], by.clf)).into_owned();
    match epoch {
        Some(s) => MSEC
            .replace(&line, |c: &Captures<'_>| {
                let quote = if c[0].contains(":\"") { "\"" } else { "" };
                format!("\"msec\":{quote}{}.{}", s + by.skew_s, &c[2])
            })
            .into_owned(),
        None => line,
    }
}

fn iso_moved(c: &Captures<'_>, digits: i64, by: &Move) -> Option<String> {
    let date: Date = c[1].parse().ok()?;
    let time: jiff::civil::Time = c[2].parse().ok()?;
    let at = date.to_datetime(time).saturating_add(jiff::SignedDuration::from_secs(digits));
    Some(format!("{}{}{}", at.strftime("%Y-%m-%dT%H:%M:%S"), c.get(3).map_or("", |m| m.as_str()), by.iso))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_move_with_the_zone_and_epochs_with_the_skew() {
        let by = &MOVES[3];
        let to = |line: &str| moved(line, by.zone_s + by.skew_s, by, 2026);
        assert_eq!(
            to(r#"a - - [22/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 1"#),
            r#"a - - [22/Nov/2026:17:45:45 +0545] "GET / HTTP/1.1" 200 1"#
        );
        assert_eq!(to("2026/11/22 12:00:00 [error] x"), "2026/11/22 17:45:45 [error] x");
        assert_eq!(to("[22-Nov-2026 12:00:00 UTC] x"), "[22-Nov-2026 12:00:45 UTC] x");
        assert_eq!(to("[2026-11-22 12:00:00 +0000] [7] x"), "[2026-11-22 17:45:45 +0545] [7] x");
        assert_eq!(
            to("Nov 22 12:00:00 web1 nginx: 2026/11/22 12:00:00 [error] x"),
            "Nov 22 17:45:45 web1 nginx: 2026/11/22 17:45:45 [error] x"
        );
        assert_eq!(
            to(r#"{"__REALTIME_TIMESTAMP":"1795348800000000","MESSAGE":"2026/11/22 12:00:00 [error] x"}"#),
            r#"{"__REALTIME_TIMESTAMP":"1795348845000000","MESSAGE":"2026/11/22 17:45:45 [error] x"}"#
        );
        assert_eq!(
            to(r#"{"time":"2026-11-22T12:00:00+00:00","msec":"1795348800.250"}"#),
            r#"{"time":"2026-11-22T17:45:45+05:45","msec":"1795348845.250"}"#
        );
    }
}
