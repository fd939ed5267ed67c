//! Reports and the summary go where they were asked to go.

use crate::support::{RAY, Site};
use std::fs;

#[test]
fn every_ending_is_written_and_named_in_the_summary() {
    let site = Site::new();
    let names = ["r.csv", "r.parquet", "r.ndjson", "r.json", "r.html", "r.md"];
    let args: Vec<&str> = ["analyze", "logs"].into_iter().chain(names.iter().flat_map(|name| ["-o", name])).collect();
    let ran = site.run(&args).ended(0);
    for name in names {
        let bytes = fs::read(site.file(name)).unwrap();
        assert!(!bytes.is_empty(), "{name}");
        assert!(ran.stdout.contains(name), "{name} is not in the summary:\n{}", ran.stdout);
    }
    assert!(fs::read(site.file("r.parquet")).unwrap().starts_with(b"PAR1"));
    assert!(site.read("r.csv").contains(RAY));
    let json: serde_json::Value = serde_json::from_str(&site.read("r.json")).unwrap();
    assert!(json.is_object());
    for line in site.read("r.ndjson").lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["ray_id"], RAY);
    }
    let left: Vec<_> =
        fs::read_dir(site.path()).unwrap().map(|e| e.unwrap().file_name()).filter(|n| n.to_string_lossy().contains("tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_summary_fits_80_columns_and_quiet_drops_it() {
    let site = Site::new();
    let ran = site.run(&["analyze", "logs"]).ended(0);
    for line in ran.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let ran = site.run(&["analyze", "logs", "--quiet"]).ended(0);
    assert!(ran.stdout.is_empty() && ran.stderr.is_empty());
}

#[test]
fn with_a_report_on_standard_output_the_summary_goes_to_standard_error() {
    let site = Site::new();
    let ran = site.run(&["analyze", "logs", "-o", "-", "--format", "csv", "-o", "also.json"]).ended(0);
    assert!(ran.stdout.starts_with("ray_id,"), "{}", ran.stdout);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("520"), "{}", ran.stderr);
    assert!(site.file("also.json").exists());
    let ran = site.run(&["analyze", "logs", "-o", "-", "--format", "csv", "-q"]).ended(0);
    assert!(ran.stderr.is_empty());
}

#[test]
fn colour_only_where_it_is_wanted() {
    let site = Site::new();
    let escapes = |args: &[&str]| site.run(args).ended(0).stdout.contains('\u{1b}');
    assert!(!escapes(&["analyze", "logs"]));
    assert!(escapes(&["analyze", "logs", "--color", "always"]));
    assert!(!escapes(&["explain", "keepalive-race"]));
    assert!(escapes(&["explain", "keepalive-race", "--color", "always"]));
    assert!(!escapes(&["explain", "keepalive-race", "--color", "never"]));
}

#[cfg(unix)]
#[test]
fn reports_are_private_and_replace_whole_files() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    fs::write(site.file("r.csv"), "an older report").unwrap();
    site.run(&["analyze", "logs", "-o", "r.csv"]).ended(0);
    assert!(site.read("r.csv").starts_with("ray_id,"));
    assert_eq!(fs::metadata(site.file("r.csv")).unwrap().permissions().mode() & 0o777, 0o600);
    site.run(&["analyze", "logs", "-q", "-o", "/dev/null", "--format", "json"]).ended(0);
}

#[test]
fn redaction_leaves_no_address_and_secrets_are_masked_anyway() {
    let site = Site::new();
    let edge = site.read("logs/edge.ndjson").replace("/page/33", "/page/33?token=hunter2&q=shoes");
    fs::write(site.file("logs/edge.ndjson"), edge).unwrap();
    site.run(&["analyze", "logs", "-o", "plain.csv", "-q"]).ended(0);
    let plain = site.read("plain.csv");
    assert!(!plain.contains("hunter2") && plain.contains("203.0.113.9") && plain.contains("shoes"), "{plain}");
    let ran = site.run(&["analyze", "logs", "-o", "redacted.csv", "-o", "redacted.json", "--redact"]).ended(0);
    for text in [ran.stdout, site.read("redacted.csv"), site.read("redacted.json")] {
        for secret in ["hunter2", "203.0.113.9", "192.0.2.10", "shoes"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    site.run(&["analyze", "logs", "-o", "open.csv", "-q", "--show-secrets"]).ended(0);
    assert!(site.read("open.csv").contains("hunter2"));
}

#[test]
fn no_520_gives_a_header_and_status_0() {
    let site = Site::new();
    let edge = site.read("logs/edge.ndjson").replace(":520,", ":200,");
    fs::write(site.file("logs/edge.ndjson"), edge).unwrap();
    site.run(&["analyze", "logs", "-o", "r.csv", "--fail-on", "any"]).ended(0);
    assert_eq!(site.read("r.csv").lines().count(), 1);
}

/// The numbers were counted from the edge log by other means: rows that reached the origin or failed.
#[test]
fn shares_episodes_and_impact_are_counted_from_all_rows() {
    let site = Site::new();
    let story = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-logs/pool-exhausted-fpm");
    site.run(&["analyze", story.to_str().unwrap(), "-q", "-o", "r.json"]).ended(0);
    let report: serde_json::Value = serde_json::from_str(&site.read("r.json")).unwrap();
    let share = |list: &serde_json::Value, name: &str| {
        let found = list.as_array().unwrap().iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("{name} in {list}")).clone();
        (found["count"].as_u64().unwrap(), found["total"].as_u64().unwrap())
    };
    let breakdown = |dimension: &str| {
        let all = report["breakdowns"].as_array().unwrap();
        all.iter().find(|b| b["dimension"] == dimension).unwrap()["values"].clone()
    };
    assert_eq!(share(&breakdown("host"), "www.example.com"), (53, 526));
    assert_eq!(share(&breakdown("path"), "/shipping/rates"), (10, 31));
    assert_eq!(share(&breakdown("path"), "/product/#"), (9, 116));
    assert_eq!(share(&breakdown("client"), "203.0.113.100"), (3, 5));
    assert_eq!(share(&report["endpoints"], "GET www.example.com/shipping/rates"), (10, 31));
    assert_eq!(report["episodes"][0]["requests"], 252, "of the host, from the first failure to the end of the last");
    let impact = &report["impact"];
    let steps: Vec<u64> = impact["backoff_steps"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    assert!(steps.len() == 5 && steps.is_sorted() && steps[0] > 0, "{steps:?}");
    assert_eq!(steps[4], impact["backoff_saves"].as_u64().unwrap());
    // 25 seconds by the second, every row in one of them.
    assert_eq!(report["timeline"]["bucket_s"], 1);
    let requests: u64 = report["timeline"]["buckets"].as_array().unwrap().iter().map(|b| b["requests"].as_u64().unwrap()).sum();
    assert_eq!(requests, 647);
}
