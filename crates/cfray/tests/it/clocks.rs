//! Clocks that are wrong: the stories with every origin stamp moved say the same as before.

use crate::support::run;
use chrono::{Duration, NaiveDateTime};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How stamps are moved.
#[derive(Clone, Copy)]
struct Move {
    /// Added to the digits.
    seconds: i64,
    /// Zone text that replaces `+0000`, where a format writes one.
    zone: Option<&'static str>,
}

/// The digits moved by -5 h 30 min + 40 s, the zone text left as it is: a server whose zone text lies.
const LYING: Move = Move { seconds: -(5 * 3600 + 30 * 60) + 40, zone: None };
/// Rewritten to Asia/Kolkata, and 40 s fast.
const KOLKATA: Move = Move { seconds: 5 * 3600 + 30 * 60 + 40, zone: Some("+0530") };

/// Replaces the stamp that stands at `at` in a format, if one does.
fn moved(text: &str, at: usize, length: usize, format: &str, by: Move) -> Option<String> {
    let stamp = NaiveDateTime::parse_from_str(text.get(at..at + length)?, format).ok()?;
    let stamp = stamp + Duration::seconds(by.seconds);
    Some(format!("{}{}{}", &text[..at], stamp.format(format), &text[at + length..]))
}

/// Moves the stamp of an nginx access, nginx error or PHP-FPM line (these stories were recorded in UTC).
fn shift(line: &str, by: Move) -> String {
    let access = line.find(" [").and_then(|at| {
        let line = moved(line, at + 2, 20, "%d/%b/%Y:%H:%M:%S", by)?;
        Some(match by.zone {
            Some(zone) => line.replacen(" +0000]", &format!(" {zone}]"), 1),
            None => line,
        })
    });
    access
        .or_else(|| moved(line, 0, 19, "%Y/%m/%d %H:%M:%S", by))
        .or_else(|| moved(line, 1, 20, "%d-%b-%Y %H:%M:%S", by).filter(|_| line.starts_with('[')))
        .unwrap_or_else(|| line.to_owned())
}

/// Copies a story with its origin logs moved.
fn copy(from: &Path, to: &Path, by: Move) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target, by);
        } else if entry.path().extension().is_some_and(|e| e == "log") {
            let text = fs::read_to_string(entry.path()).unwrap();
            let lines: Vec<String> = text.lines().map(|line| shift(line, by)).collect();
            assert!(text.lines().zip(&lines).filter(|(a, b)| a == b).count() * 2 < lines.len(), "{}: hardly moved", target.display());
            fs::write(target, lines.join("\n") + "\n").unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn causes(dir: &Path, story: &Path) -> BTreeMap<String, String> {
    run(dir, &["analyze", story.to_str().unwrap(), "-q", "-o", "out.csv"]).ended(0);
    let mut table = csv::Reader::from_path(dir.join("out.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    rows.into_iter().map(|row| (row["ray_id"].clone(), row["cause"].clone())).collect()
}

fn says_the_same(by: Move) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-logs");
    for story in ["client-blocked-nginx", "edge-ip-blocked-nginx", "pool-exhausted-fpm", "rule-dropped-limit-req"] {
        let dir = tempfile::tempdir().unwrap();
        let before = causes(dir.path(), &samples.join(story));
        copy(&samples.join(story), &dir.path().join("moved"), by);
        let after = causes(dir.path(), &dir.path().join("moved"));
        assert!(before.len() >= 20, "{story}");
        assert_eq!(before, after, "{story}");
    }
}

#[test]
fn a_zone_text_that_lies_changes_no_verdict() {
    says_the_same(LYING);
}

/// Rewritten to New York, and 90 s slow.
const NEW_YORK: Move = Move { seconds: -5 * 3600 - 90, zone: Some("-0500") };
/// Rewritten to Kathmandu, and 45 s fast.
const KATHMANDU: Move = Move { seconds: 5 * 3600 + 45 * 60 + 45, zone: Some("+0545") };

/// Zone and skew are found within 1 s by ray and 2 s by request.
fn is_measured(by: Move) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-logs");
    let zone = by.zone.map_or(0, |z| {
        z[..3].parse::<i64>().unwrap() * 3600 + z[3..].parse::<i64>().unwrap() * 60 * if z.starts_with('-') { -1 } else { 1 }
    });
    let mut measured = 0;
    // Those that were recorded in UTC.
    for story in ["client-blocked-nginx", "edge-ip-blocked-nginx", "pool-exhausted-fpm"] {
        let dir = tempfile::tempdir().unwrap();
        copy(&samples.join(story), &dir.path().join("moved"), by);
        run(dir.path(), &["analyze", "moved", "-q", "-o", "r.json"]).ended(0);
        let report: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("r.json")).unwrap()).unwrap();
        for source in report["sources"].as_array().unwrap().iter().filter(|s| s["measured"].is_object()) {
            let clock = &source["measured"];
            let tolerance = match clock["by"].as_str().unwrap() {
                "ray" => 1.0,
                "request" => 2.0,
                _ => continue,
            };
            measured += 1;
            assert_eq!(clock["zone_s"], zone, "{story}: {source}");
            let off = clock["skew_s"].as_f64().unwrap() - (by.seconds - zone) as f64;
            assert!(off.abs() <= tolerance, "{story}: off by {off}: {source}");
        }
    }
    assert!(measured >= 4, "{measured}");
}

#[test]
fn new_york_ninety_seconds_slow() {
    is_measured(NEW_YORK);
    says_the_same(NEW_YORK);
}

#[test]
fn kathmandu_forty_five_seconds_fast() {
    is_measured(KATHMANDU);
    says_the_same(KATHMANDU);
}

#[test]
fn another_zone_and_forty_seconds_change_no_verdict() {
    says_the_same(KOLKATA);
}
