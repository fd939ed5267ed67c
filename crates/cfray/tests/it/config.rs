//! `cfray.toml`: read from the current directory, never from what is scanned.

use crate::support::{Site, run};
use std::fs;

#[test]
fn the_current_directory_s_file_is_read_and_the_command_line_counts_more() {
    let site = Site::new();
    fs::write(site.file("cfray.toml"), "host = \"other.example.com\"\noutput = \"from-config.csv\"\n").unwrap();
    site.run(&["analyze", "logs"]).ended(0).says(&["cfray.toml"]);
    assert_eq!(site.read("from-config.csv").lines().count(), 1);
    site.run(&["analyze", "logs", "--host", "shop.example.com", "-o", "mine.csv"]).ended(0);
    assert_eq!(site.read("mine.csv").lines().count(), 2);
    site.run(&["analyze", "logs", "--no-config", "-q"]).ended(0);
}

#[test]
fn a_file_in_a_scanned_directory_is_named_and_not_used() {
    let site = Site::new();
    fs::write(site.file("logs/cfray.toml"), "host = \"other.example.com\"\noutput = \"stolen.csv\"\nshow-secrets = true\n").unwrap();
    let ran = run(&site.file("logs"), &["analyze", "."]).ended(0).says(&["cfray.toml", "not used"]);
    assert!(ran.stdout.contains("520"));
    assert!(!site.file("logs/stolen.csv").exists());
    // Asked for by name it is used.
    run(&site.file("logs"), &["analyze", ".", "--config", "cfray.toml", "-q"]).ended(0);
    assert!(site.file("logs/stolen.csv").exists());
}

#[test]
fn slips_in_it_are_named_with_their_place() {
    let site = Site::new();
    fs::write(site.file("bad.toml"), "status = 520\nhots = \"a\"\n").unwrap();
    site.run(&["analyze", "logs", "--config", "bad.toml"]).ended(2).complains(&["bad.toml", "hots", "line 2"]);
    site.run(&["analyze", "logs", "--config", "missing.toml"]).ended(2).complains(&["missing.toml"]);
}

#[test]
fn the_example_is_accepted() {
    let site = Site::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../cfray.example.toml");
    site.run(&["analyze", "logs", "--config", example]).ended(0);
}

#[test]
fn renamed_fields_are_mapped() {
    let site = Site::new();
    let edge = site.read("logs/edge.ndjson").replace("\"RayID\"", "\"ray_identifier\"");
    fs::write(site.file("logs/edge.ndjson"), edge).unwrap();
    fs::write(site.file("cfray.toml"), "[fields]\nray_identifier = \"RayID\"\n").unwrap();
    site.run(&["analyze", "logs", "-o", "r.csv", "-q"]).ended(0);
    assert!(site.read("r.csv").contains(crate::support::RAY));
}

#[test]
fn csv_without_a_header_takes_its_names_from_the_option() {
    let site = Site::new();
    fs::write(
        site.file("logs/edge.ndjson"),
        "9e0ad402c9afa70a,2026-11-22T12:24:07Z,520,shop.example.com,GET,/page/33\n9e0ad402c9afa70b,2026-11-22T12:24:09Z,200,shop.example.com,GET,/\n",
    )
    .unwrap();
    let fields = "RayID,EdgeStartTimestamp,EdgeResponseStatus,ClientRequestHost,ClientRequestMethod,ClientRequestURI";
    site.run(&["analyze", "logs", "--csv-fields", fields, "-o", "r.csv", "-q"]).ended(0);
    assert!(site.read("r.csv").contains(crate::support::RAY));
}
