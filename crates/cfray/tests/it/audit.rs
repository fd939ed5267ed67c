//! `cfray audit`: what logs could not have shown, whatever part of them there is.

use crate::support::Site;
use std::fs;

fn json(site: &Site, path: &str) -> serde_json::Value {
    serde_json::from_str(&site.run(&["audit", path, "--format", "json"]).ended(0).stdout).unwrap()
}

/// The line to paste for a cause.
fn paste(audit: &serde_json::Value, cause: &str) -> String {
    let found = audit["causes"].as_array().unwrap().iter().find(|c| c["cause"] == cause);
    found.unwrap_or_else(|| panic!("{cause} is not in {audit}"))["paste"].as_str().unwrap().to_owned()
}

#[test]
fn both_sides_and_what_a_level_hides() {
    let site = Site::new();
    let audit = json(&site, "logs");
    assert_eq!(paste(&audit, "request-rejected"), "error_log /var/log/nginx/error.log info;");
    assert_eq!(paste(&audit, "oom-kill"), "journalctl -k -o short-iso-precise --utc > kernel.log");
    let fields = audit["changes"].as_array().unwrap().iter().find(|c| c["paste"].as_str().unwrap().starts_with("\"field_names\""));
    assert!(fields.is_none(), "every field that matters is delivered: {fields:?}");
    let text = site.run(&["audit", "logs"]).ended(0);
    assert!(text.stderr.is_empty(), "{}", text.stderr);
    text.says(&["CAUSES THAT THESE LOGS COULD NOT SHOW", "CHANGES", "\n         error_log /var/log/nginx/error.log info;\n"]);
}

#[test]
fn origin_logs_alone() {
    let site = Site::new();
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    let audit = json(&site, "logs");
    assert!(paste(&audit, "edge-ip-blocked").contains("dataset http_requests"), "{audit}");
    site.run(&["audit", "logs", "--format", "md"]).ended(0).says(&["| **edge-ip-blocked** |", "no Cloudflare Logpush rows"]);
}

#[test]
fn logpush_alone() {
    let site = Site::new();
    let row = |line: &str| {
        let line = line.replace("\"EdgeColoCode\":\"FRA\",", "");
        [".100Z", ".160Z"].iter().fold(line, |l, ms| l.replace(ms, "Z"))
    };
    let edge: String = site.read("logs/edge.ndjson").lines().map(|l| row(l) + "\n").collect();
    fs::write(site.file("alone.ndjson"), edge).unwrap();
    let audit = json(&site, "alone.ndjson");
    assert!(paste(&audit, "worker-crash").contains("/var/log/nginx"), "{audit}");
    assert_eq!(paste(&audit, "edge-incident"), "\"field_names\": [..., \"EdgeColoCode\"]");
    let text = audit.to_string();
    assert!(text.contains("rfc3339ns"), "whole seconds: {text}");
}

#[test]
fn one_file_of_each_kind() {
    let site = Site::new();
    let audit = json(&site, "logs/access.log");
    assert_eq!(paste(&audit, "worker-crash"), "error_log /var/log/nginx/error.log info;", "{audit}");
    let audit = json(&site, "logs/error.log");
    assert_eq!(paste(&audit, "rule-dropped"), "access_log /var/log/nginx/access.log cf520;", "{audit}");
}

#[test]
fn apache_is_told_in_its_own_words() {
    let site = Site::new();
    let line = "[Sun Nov 22 12:24:07.000001 2026] [core:warn] [pid 9:tid 9] AH00098: pid file overwritten\n";
    fs::write(site.file("logs/error.log"), line.repeat(3)).unwrap();
    let audit = json(&site, "logs");
    assert_eq!(paste(&audit, "origin-pull-rejected"), "LogLevel warn ssl:info http2:info reqtimeout:info");
    assert!(audit.to_string().contains("%L in the LogFormat"), "{audit}");
}

#[test]
fn a_missing_file_of_a_rotated_set_is_named() {
    let site = Site::new();
    let access = site.read("logs/access.log");
    fs::write(site.file("logs/access.log.2"), access.replace("22/Nov/2026", "20/Nov/2026")).unwrap();
    site.run(&["audit", "logs"]).ended(0).says(&["access.log.1 missing", "access.log.1 is missing"]);
    site.run(&["analyze", "logs"]).ended(0).says(&["Lacking", "access.log.1 is missing"]);
    site.run(&["analyze", "logs", "-q", "-o", "r.json"]).ended(0);
    let report: serde_json::Value = serde_json::from_str(&site.read("r.json")).unwrap();
    let source = |name: &str| report["sources"].as_array().unwrap().iter().find(|s| s["info"]["name"] == name).cloned().unwrap();
    assert_eq!(source("logs/access.log")["missing_files"], serde_json::json!(["logs/access.log.1"]));
    assert_eq!(source("logs/error.log")["lowest_level"], "notice");
    assert_eq!(source("logs/error.log")["buffered"], false);
}

#[test]
fn exit_statuses_are_those_of_analyze() {
    let site = Site::new();
    site.run(&["audit", "no-such-directory"]).ended(2);
    site.run(&["audit", "logs", "--format", "xls"]).ended(2);
    fs::write(site.file("logs/access.log"), site.read("logs/access.log") + "no access line\n").unwrap();
    site.run(&["audit", "logs"]).ended(0);
    site.run(&["audit", "logs", "--strict"]).ended(2).complains(&["--strict"]);
}
