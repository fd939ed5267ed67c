//! `cfray ray`: one request, with and without Cloudflare's side.

use crate::support::{RAY, Site, run_with};
use std::fs;

#[test]
fn the_timeline_holds_both_sides_and_the_verdict() {
    let site = Site::new();
    let with_colo = format!("{RAY}-FRA");
    for ray in [RAY, with_colo.as_str(), &RAY.to_uppercase()] {
        let ran = site.run(&["ray", ray, "logs"]).ended(0);
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
        ran.says(&[RAY, "shop.example.com/page/33", "Timeline", "answers 520", "Verdict", "What to do", "To send to", "192.0.2.10"]);
    }
}

#[test]
fn a_request_of_any_status_is_shown_with_its_access_line() {
    let site = Site::new();
    let ran = site.run(&["ray", "9e0ad402c9af0005", "logs"]).ended(0);
    ran.says(&["answers 200", "by ray", "access.log:6", "nothing failed"]);
}

#[test]
fn the_verdict_is_the_one_that_analyze_gives() {
    let site = Site::new();
    site.run(&["analyze", "logs", "-q", "-o", "r.ndjson"]).ended(0);
    let row: serde_json::Value = serde_json::from_str(site.read("r.ndjson").lines().next().unwrap()).unwrap();
    site.run(&["ray", RAY, "logs"]).ended(0).says(&[&format!("Verdict: {}", row["cause"].as_str().unwrap())]);
}

#[test]
fn origin_logs_alone_will_do() {
    let site = Site::new();
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    site.run(&["ray", "9e0ad402c9af0005", "logs"]).ended(0).says(&["No Logpush data", "access.log:6", "/page/5"]);
}

#[test]
fn a_ray_that_is_nowhere_ends_with_1_and_says_what_to_check() {
    let site = Site::new();
    site.run(&["ray", "ffffffffffffffff", "logs"]).ended(1).says(&["is not in", "$http_cf_ray"]);
    site.run(&["ray", "ffffffffffffffff", "logs/access.log"]).ended(1);
}

#[test]
fn logpush_may_come_on_standard_input() {
    let site = Site::new();
    let edge = site.read("logs/edge.ndjson");
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    run_with(site.path(), &["ray", RAY, "-", "logs"], edge).ended(0).says(&["answers 520"]);
}

#[test]
fn secrets_are_masked() {
    let site = Site::new();
    let edge = site.read("logs/edge.ndjson").replace("/page/33", "/page/33?token=hunter2");
    fs::write(site.file("logs/edge.ndjson"), edge).unwrap();
    let ran = site.run(&["ray", RAY, "logs"]).ended(0);
    assert!(!ran.stdout.contains("hunter2"));
    let ran = site.run(&["ray", RAY, "logs", "--redact"]).ended(0);
    assert!(!ran.stdout.contains("203.0.113.9") && !ran.stdout.contains("192.0.2.10"), "{}", ran.stdout);
}
