//! `cfray explain`: every cause of the contract, with all its parts.

use crate::support::run;
use std::path::Path;

/// The names that other programs know. Adding is fine, renaming is not.
const CAUSES: &[&str] = &[
    "worker-crash",
    "oom-kill",
    "pool-exhausted",
    "timeout-kill",
    "server-restart",
    "server-io",
    "app-fatal",
    "plugin-fault",
    "edge-ip-blocked",
    "client-blocked",
    "rule-dropped",
    "throttled",
    "headers-too-large",
    "keepalive-race",
    "malformed-response",
    "backend-closed",
    "proxy-protocol",
    "http2-fault",
    "request-rejected",
    "origin-pull-rejected",
    "wrong-origin",
    "edge-incident",
    "origin-520",
    "unknown",
    "origin-refused",
    "connect-timeout",
    "origin-unreachable",
    "response-timeout",
    "tls-handshake",
    "tls-certificate",
    "railgun",
    "origin-dns",
];

#[test]
fn each_cause_is_explained_with_all_its_parts() {
    for cause in CAUSES {
        let ran = run(Path::new("."), &["explain", cause]).ended(0);
        assert!(ran.stderr.is_empty());
        let parts = [
            cause,
            "Evidence required",
            "Not this cause when",
            "What to do",
            "Site owner",
            "Server administrator",
            "Developer",
            "Client that met",
            "Sources",
        ];
        ran.says(&parts);
    }
}

#[test]
fn the_table_names_them_all_and_statuses_lead_to_theirs() {
    let ran = run(Path::new("."), &["explain"]).ended(0).says(CAUSES);
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80));
    run(Path::new("."), &["explain", "524"]).ended(0).says(&["response-timeout"]);
    run(Path::new("."), &["explain", "404"]).ended(2);
}

#[test]
fn limits_that_are_out_of_date_are_marked() {
    run(Path::new("."), &["explain", "headers-too-large"]).ended(0).says(&["2025-10-16", "out of date"]);
    run(Path::new("."), &["explain", "response-timeout"]).ended(0).says(&["100 s", "125 s", "out of date"]);
    run(Path::new("."), &["explain", "keepalive-race"]).ended(0).says(&["900 s", "300 s"]);
}
