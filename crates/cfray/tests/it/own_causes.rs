//! Causes and thresholds that the configuration defines.

use crate::support::{RAY, Site};
use std::fs;

const CONFIG: &str = "[[cause]]\nname = \"varnish-guru\"\nfamily = \"malformed\"\npattern = 'Guru Meditation'\nwhat-to-do = \"Look at varnishlog.\"\n\
    says = \"Varnish gave up.\"\n";

/// An nginx error line of a request, in the second of the 520.
fn line_of(uri: &str) -> String {
    format!(
        "2026/11/22 12:24:07 [error] 4242#4242: *9 Guru Meditation while reading response header from upstream, client: 172.70.1.1, \
         server: shop.example.com, request: \"GET {uri} HTTP/1.1\", host: \"shop.example.com\"\n"
    )
}

/// A site with further error lines and a configuration.
fn site(errors: &str, config: &str) -> Site {
    let site = Site::new();
    let error = site.read("logs/error.log");
    fs::write(site.file("logs/error.log"), format!("{error}{errors}")).unwrap();
    fs::write(site.file("cfray.toml"), config).unwrap();
    site
}

/// Cause, confidence and tie of the one 520.
fn verdict(site: &Site) -> (String, f64, String) {
    site.run(&["analyze", "logs", "-q", "-o", "r.ndjson"]).ended(0);
    let row: serde_json::Value = serde_json::from_str(site.read("r.ndjson").lines().next().unwrap()).unwrap();
    (row["cause"].as_str().unwrap().to_owned(), row["confidence"].as_f64().unwrap(), row["match"].as_str().unwrap().to_owned())
}

#[test]
fn a_line_of_the_request_gives_the_cause_everywhere() {
    let site = site(&line_of("/page/33"), CONFIG);
    let (cause, confidence, tie) = verdict(&site);
    assert_eq!((cause.as_str(), tie.as_str()), ("varnish-guru", "request"));
    assert!(confidence > 0.8, "{confidence}");
    let ran = site.run(&["analyze", "logs", "-o", "r.csv", "-o", "r.md", "-o", "r.html", "-o", "r.parquet", "--fail-on", "varnish-guru"]);
    ran.ended(1).says(&["varnish-guru", "Varnish gave up.", "Look at varnishlog."]);
    assert!(site.read("r.csv").contains(",varnish-guru,malformed,"));
    assert!(site.read("r.md").contains("varnish-guru") && site.read("r.html").contains("varnish-guru"));
    site.run(&["ray", RAY, "logs"]).ended(0).says(&["Verdict: varnish-guru", "Guru Meditation", "Look at varnishlog."]);
    site.run(&["explain", "varnish-guru"]).ended(0).says(&["Varnish gave up.", "`Guru Meditation`", "Look at varnishlog."]);
    site.run(&["explain"]).ended(0).says(&["varnish-guru", "Varnish gave up."]);
    site.run(&["explain", "varnish-gru"]).ended(2).complains(&["did you mean \"varnish-guru\""]);
    site.run(&["explain", "varnish-guru", "--no-config"]).ended(2);
    site.run(&["analyze", "logs", "--fail-on", "varnish-gur"]).ended(2).complains(&["did you mean \"varnish-guru\""]);
}

#[test]
fn a_line_of_another_request_gives_nothing() {
    let (before, ..) = verdict(&site("", CONFIG));
    assert_eq!(verdict(&site(&line_of("/page/32"), CONFIG)).0, before);
}

#[test]
fn conditions_must_hold() {
    for (condition, holds) in [("path = \"/page/*\"", true), ("path = \"/cart/**\"", false), ("status = \"444\"", false)] {
        let (cause, ..) = verdict(&site(&line_of("/page/33"), &format!("{CONFIG}{condition}\n")));
        assert_eq!(cause == "varnish-guru", holds, "{condition}");
    }
}

#[test]
fn a_line_that_names_no_request_counts_near_failures_only() {
    let near = "2026/11/22 12:24:07 [error] 811#811: Guru Meditation\n";
    // Without the death of the worker, which is logged in the same second.
    let quiet = |errors: &str| {
        let site = site("", CONFIG);
        fs::write(site.file("logs/error.log"), errors).unwrap();
        site
    };
    let (cause, confidence, tie) = verdict(&quiet(near));
    assert_eq!((cause.as_str(), tie.as_str()), ("varnish-guru", "window"));
    assert!(confidence <= 0.9, "{confidence}");
    // Every second has one: that says nothing.
    let always: String =
        (0..80).map(|s| format!("2026/11/22 12:{:02}:{:02} [error] 811#811: Guru Meditation\n", 23 + s / 60, s % 60)).collect();
    assert_ne!(verdict(&quiet(&always)).0, "varnish-guru");
    // Two minutes away it is not near.
    assert_ne!(verdict(&quiet(&near.replace("12:24:07", "12:21:07"))).0, "varnish-guru");
}

#[test]
fn direct_evidence_of_a_known_cause_counts_more_than_a_line_near_in_time() {
    // The request's own line says that a file could not be written, and no answer went out.
    let own = "2026/11/22 12:24:07 [crit] 4242#4242: *9 pwrite() \"/var/lib/nginx/fastcgi/1\" failed (28: No space left on device) while reading \
         upstream, client: 172.70.1.1, server: shop.example.com, request: \"GET /page/33 HTTP/1.1\", host: \"shop.example.com\"\n";
    let near = "2026/11/22 12:24:07 [error] 811#811: Guru Meditation\n";
    let site = site("", CONFIG);
    fs::write(site.file("logs/error.log"), format!("{own}{near}")).unwrap();
    assert_eq!(verdict(&site).0, "server-io");
}

#[test]
fn thresholds_are_used_and_shown() {
    // Without the server's logs both 520s are unknown: one episode or two is a matter of the pause alone.
    let site = Site::new();
    fs::remove_file(site.file("logs/error.log")).unwrap();
    fs::remove_file(site.file("logs/access.log")).unwrap();
    let edge = site.read("logs/edge.ndjson");
    let again = edge.lines().find(|line| line.contains(RAY)).unwrap().replace(RAY, "9e0ad402c9afa7ff").replace("T12:24:", "T12:29:");
    fs::write(site.file("logs/edge.ndjson"), format!("{edge}{again}\n")).unwrap();
    let episodes = || {
        site.run(&["analyze", "logs", "-q", "-o", "r.json"]).ended(0);
        let report: serde_json::Value = serde_json::from_str(&site.read("r.json")).unwrap();
        (report["episodes"].as_array().unwrap().len(), report.to_string().contains("threshold episode.pause=600"))
    };
    assert_eq!(episodes(), (2, false));
    fs::write(site.file("cfray.toml"), "[thresholds]\n\"episode.pause\" = 600\n").unwrap();
    let (n, shown) = episodes();
    assert!(shown);
    assert_eq!(n, 1);
}
