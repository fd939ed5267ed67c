//! Half of the origin's logs missing: no verdict from the absence of a line in what they do not cover.

use crate::support::run;
use chrono::{DateTime, NaiveDateTime, Utc};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Stories in which a rule uses that a line is not there, or may.
const STORIES: &[&str] = &[
    "keepalive-race-nginx",
    "wrong-origin",
    "worker-crash-apache",
    "origin-pull-rejected-apache",
    "server-restart-nginx",
    "oom-kill-fpm",
    "edge-incident",
    "http2-fault-haproxy",
    "proxy-protocol-nginx",
    "pool-exhausted-fpm",
    "app-fatal-php",
];

/// Digits of a line's own stamp, as seconds, and whether they are UTC whatever the file's zone is.
fn digits(line: &str) -> Option<(i64, bool)> {
    let read = |at: usize, length: usize, format: &str| {
        NaiveDateTime::parse_from_str(line.get(at..at + length)?, format).ok().map(|t| t.and_utc().timestamp())
    };
    if let Some(at) = line.find("\"__REALTIME_TIMESTAMP\":\"") {
        return Some((line.get(at + 24..at + 34)?.parse().ok()?, true));
    }
    let syslog = || {
        let text = format!("2026 {}", line.get(..15)?);
        NaiveDateTime::parse_from_str(&text, "%Y %b %e %H:%M:%S").ok().map(|t| t.and_utc().timestamp())
    };
    let apache = || {
        let inner = line.strip_prefix('[')?.split(']').next()?;
        NaiveDateTime::parse_from_str(inner, "%a %b %d %H:%M:%S%.f %Y").ok().map(|t| t.and_utc().timestamp())
    };
    let utc = line.get(..28).is_some_and(|h| h.ends_with(" UTC]") || h.contains(" UTC] "));
    let json = || line.starts_with('{').then(|| read(line.find("\":\"20")? + 3, 19, "%Y-%m-%dT%H:%M:%S"))?;
    read(0, 19, "%Y/%m/%d %H:%M:%S")
        .or_else(|| read(0, 19, "%Y-%m-%d %H:%M:%S"))
        .or_else(json)
        .or_else(syslog)
        .or_else(apache)
        .or_else(|| line.starts_with('[').then(|| read(1, 20, "%d-%b-%Y %H:%M:%S"))?)
        .or_else(|| read(line.find('[')? + 1, 20, "%d/%b/%Y:%H:%M:%S"))
        .map(|t| (t, utc))
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-logs")
}

fn analyze(dir: &Path, logs: &Path) -> serde_json::Value {
    run(dir, &["analyze", logs.to_str().unwrap(), "-q", "-o", "r.json"]).ended(0);
    serde_json::from_slice(&fs::read(dir.join("r.json")).unwrap()).unwrap()
}

fn seconds(time: &serde_json::Value) -> f64 {
    time.as_str().unwrap().parse::<DateTime<Utc>>().unwrap().timestamp_millis() as f64 / 1000.0
}

/// Copies a story without the origin lines of a part of its time. Returns how many lines were left out.
fn cut(from: &Path, to: &Path, zones: &BTreeMap<PathBuf, f64>, keep: &dyn Fn(f64) -> bool) -> usize {
    fs::create_dir_all(to).unwrap();
    let mut left_out = 0;
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|n| n != "cloudflare") {
            left_out += cut(&path, &target, zones, keep);
        } else if path.is_dir() {
            left_out += cut(&path, &target, &BTreeMap::new(), &|_| true);
        } else if let Some(shift) = zones.get(&path) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.lines().next().and_then(digits).is_some(), "{}: a stamp that this test cannot read", path.display());
            let mut inside = true;
            let mut out = String::new();
            for line in text.lines() {
                if let Some((t, utc)) = digits(line) {
                    // A zone is whole quarters of an hour, the rest is skew.
                    let shift = if utc { shift - (shift / 900.0).round() * 900.0 } else { *shift };
                    inside = keep(t as f64 - shift);
                }
                if inside {
                    out.push_str(line);
                    out.push('\n');
                } else {
                    left_out += 1;
                }
            }
            fs::write(target, out).unwrap();
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
    left_out
}

#[test]
fn absence_counts_in_covered_time_only() {
    let mut outside = 0;
    for story in STORIES {
        let dir = tempfile::tempdir().unwrap();
        let path = samples().join(story);
        let full = analyze(dir.path(), &path);
        let (first, last) = (seconds(&full["edge"]["first"]), seconds(&full["edge"]["last"]));
        let zones: BTreeMap<PathBuf, f64> = full["sources"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["measured"].is_object() && s["info"]["compression"] == "")
            .map(|s| {
                let (zone, skew) = (s["measured"]["zone_s"].as_f64().unwrap(), s["measured"]["skew_s"].as_f64().unwrap());
                (PathBuf::from(s["info"]["name"].as_str().unwrap()), zone + skew)
            })
            .collect();
        let part = |t: f64| (t - first) / (last - first);
        type Keep = fn(f64) -> bool;
        let cuts: [(&str, Keep); 3] =
            [("first half", |x| x > 0.5), ("second half", |x| x <= 0.5), ("middle", |x| !(0.33..0.67).contains(&x))];
        for (what, keep) in cuts {
            let target = dir.path().join(what.replace(' ', "-"));
            let left_out = cut(&path, &target, &zones, &|t| keep(part(t)));
            assert!(left_out >= 10, "{story}, {what} missing: {left_out} lines left out");
            for row in analyze(dir.path(), &target)["rows"].as_array().unwrap() {
                let end = if row["edge_end_time"].is_string() { &row["edge_end_time"] } else { &row["edge_time"] };
                // Stamps may be whole seconds on both sides: at the edge of the hole nobody knows.
                if [-2.0, 0.0, 2.0].iter().any(|by| keep(part(seconds(end) + by))) {
                    continue;
                }
                outside += 1;
                let cause = row["cause"].as_str().unwrap();
                let quotes = row["evidence"].as_array().unwrap().iter().any(|e| e["kind"] == "absence");
                assert!(cause == "unknown" || !quotes, "{story}, {what} missing: {row}");
                assert_ne!(cause, "keepalive-race", "{story}, {what} missing: {row}");
                // What that address does in covered time may count, but not for sure.
                let confidence = row["confidence"].as_f64().unwrap();
                assert!(cause != "wrong-origin" || confidence <= 0.6, "{story}, {what} missing: {row}");
            }
        }
    }
    assert!(outside > 200, "{outside}");
}
