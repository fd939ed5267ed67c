//! `cfray bundle`: one archive for a support ticket, from which nothing leaks.

use crate::support::{RAY, Ran, Site};
use flate2::read::GzDecoder;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

/// Names and contents of an archive, in its order.
fn unpacked(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(GzDecoder::new(fs::File::open(path).unwrap()));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    });
    entries.collect()
}

/// Texts of an archive by name.
fn texts(path: &Path) -> BTreeMap<String, String> {
    unpacked(path).into_iter().map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
}

fn bundle(site: &Site, more: &[&str]) -> Ran {
    site.run(&[&["bundle", "logs", "-o", "ticket.tar.gz"], more].concat()).ended(0)
}

#[test]
fn it_holds_what_a_support_desk_needs() {
    let site = Site::new();
    bundle(&site, &[]).says(&["ticket.tar.gz", "rays.csv", "--redact"]);
    let texts = texts(&site.file("ticket.tar.gz"));
    let text = |name: &str| texts.get(&format!("cfray-bundle/{name}")).unwrap_or_else(|| panic!("{name}: {:?}", texts.keys()));
    assert!(text("rays.csv").contains(&format!("{RAY}-FRA,2026-11-22T12:24:07.100Z")), "{}", text("rays.csv"));
    assert!(text("ticket-for-the-host.txt").contains("worker-crash") && text("ticket-for-the-host.txt").contains("error.log:2: "));
    assert!(text("ticket-for-cloudflare.txt").contains("None of these points at Cloudflare"));
    assert!(text("origin/lines.csv").contains("exited on signal 11"));
    let excerpt = texts.iter().find(|(name, _)| name.contains("error.log")).unwrap().1;
    assert!(excerpt.contains(">        2  2026/11/22 12:24:07 [alert] 811#811: worker process 4242"), "{excerpt}");
    assert!(excerpt.contains("         1  2026/11/22 12:24:07 [notice]") && excerpt.contains("         3  "), "{excerpt}");
    assert!(text("how-it-was-made.txt").contains("clock: ") && text("how-it-was-made.txt").contains(env!("CARGO_PKG_VERSION")));
    assert!(text("report/report.html").contains("<html") && text("report/report.json").starts_with('{'));
    for name in texts.keys().filter(|name| !name.ends_with("README.txt")) {
        assert!(text("README.txt").contains(name.strip_prefix("cfray-bundle/").unwrap()), "README.txt does not name {name}");
    }
}

#[cfg(unix)]
#[test]
fn equal_runs_give_equal_archives_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    for kind in ["tar.gz", "zip"] {
        for name in ["a", "b"] {
            site.run(&["bundle", "logs", "-q", "-o", &format!("{name}.{kind}")]).ended(0);
        }
        let read = |name: &str| fs::read(site.file(&format!("{name}.{kind}"))).unwrap();
        assert_eq!(read("a"), read("b"), "{kind}");
        assert_eq!(fs::metadata(site.file(&format!("a.{kind}"))).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_cannot_be_written_is_said_before_the_run() {
    let site = Site::new();
    site.run(&["bundle", "logs", "-o", "ticket.rar"]).ended(2).complains(&["ticket.rar", ".tar.gz .tgz .zip"]);
    site.run(&["bundle", "logs", "-o", "no/such/ticket.zip"]).ended(2).complains(&["mkdir -p"]);
    site.run(&["bundle", "logs/access.log", "-o", "ticket.zip"]).ended(2).complains(&["no Cloudflare log"]);
    assert!(!site.file("ticket.zip").exists());
}

#[test]
fn the_same_requests_are_chosen_as_by_analyze() {
    let site = Site::new();
    bundle(&site, &["--host", "other.example.com"]);
    let texts = texts(&site.file("ticket.tar.gz"));
    assert_eq!(texts["cfray-bundle/rays.csv"].lines().count(), 1);
    assert!(texts["cfray-bundle/how-it-was-made.txt"].contains("option: host other.example.com"));
}

/// Things that must not leave: addresses in several spellings, secrets, and every value of a query.
const PLANTED: &[&str] = &[
    "203.0.113.9",
    "172.70.1.1",
    "192.0.2.10",
    "198.51.100.77",
    "2001:db8:77::5",
    "10.20.30.40",
    "hunter2",
    "s3cr3tcookie",
    "eyJhbGciOiJIUzI1",
    "jane@example.com",
    "4111111111111111",
    "bluesuede",
    "opensesame",
    "tok-planted",
    "10-9-8-7",
];

/// The site with planted values in rows, access lines, error lines and the name of a file.
fn planted() -> Site {
    let site = Site::new();
    let uri = "/page/33?email=jane@example.com&card=4111111111111111&token=hunter2#x";
    let edge =
        site.read("logs/edge.ndjson").replace("/page/33", uri).replace("\"curl/8\"", "\"curl/8 (+http://10.20.30.40/bot?ref=bluesuede)\"");
    fs::write(site.file("logs/edge.ndjson"), edge).unwrap();
    let access =
        site.read("logs/access.log").replace("\"-\" \"curl/8\"", "\"https://u:opensesame@shop.example.com/?q=bluesuede\" \"curl/8\"");
    // Apart from the server's files: the name of a file holds an address, too.
    fs::remove_file(site.file("logs/access.log")).unwrap();
    fs::write(site.file("logs/access-198.51.100.77.log"), access).unwrap();
    let error = site.read("logs/error.log");
    let own = format!(
        "2026/11/22 12:24:07 [error] 4242#4242: *9 recv() failed (104: Connection reset by peer) while reading response header from upstream, client: \
         172.70.1.1, server: shop.example.com, request: \"GET {} HTTP/1.1\", upstream: \"http://[2001:db8:77::5]:9000\", host: \
         \"shop.example.com\", referrer: \"https://shop.example.com/?q=bluesuede&Cookie: sid=s3cr3tcookie\"\n\
         2026/11/22 12:24:07 [error] 4242#4242: *9 FastCGI sent in stderr: \"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln \
         api_key=tok-planted from 198.51.100.77\" while reading response header from upstream, client: 172.70.1.1, server: \
         shop.example.com, request: \"GET {} HTTP/1.1\", host: \"shop.example.com\"\n",
        uri.trim_end_matches("#x"),
        uri.trim_end_matches("#x")
    );
    fs::remove_file(site.file("logs/error.log")).unwrap();
    fs::write(site.file("logs/error-ip-10-9-8-7.log"), format!("{own}{error}{own}")).unwrap();
    site
}

#[test]
fn nothing_planted_leaves_with_redact() {
    let site = planted();
    let ran = bundle(&site, &["--redact"]);
    let members = texts(&site.file("ticket.tar.gz"));
    for (name, text) in members.iter().map(|(n, t)| (n.as_str(), t.as_str())).chain([("standard output", ran.stdout.as_str())]) {
        for planted in PLANTED {
            assert!(!name.contains(planted) && !text.contains(planted), "{planted} is in {name}:\n{text}");
        }
    }
    // The tied line is there, under pseudonyms, and one address has one name in every member.
    let rays = &members["cfray-bundle/rays.csv"];
    let edge_ip = rays.lines().nth(1).unwrap().split(',').find(|cell| cell.starts_with("ip-")).unwrap();
    let excerpts: String = members.iter().filter(|(name, _)| name.contains("/origin/")).map(|(_, text)| text.as_str()).collect();
    assert!(excerpts.contains("exited on signal 11"), "{excerpts}");
    assert!(excerpts.contains(edge_ip), "{edge_ip} is in none of the excerpts:\n{excerpts}");
    assert!(members["cfray-bundle/report/report.csv"].contains(edge_ip));
}

#[test]
fn secrets_are_masked_without_redact_too() {
    let site = planted();
    bundle(&site, &[]);
    for (name, text) in texts(&site.file("ticket.tar.gz")) {
        for secret in ["hunter2", "s3cr3tcookie", "eyJhbGciOiJIUzI1", "opensesame", "tok-planted"] {
            assert!(!text.contains(secret), "{secret} is in {name}:\n{text}");
        }
    }
}

/// Every address and query value of a recorded site, from all its files.
fn values(folder: &Path, into: &mut std::collections::BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            values(&path, into);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|e| e == "gz") {
            let mut plain = Vec::new();
            GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
            bytes = plain;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if !path.components().any(|c| c.as_os_str() == "cloudflare") {
            continue;
        }
        for line in text.lines() {
            let Ok(row) = serde_json::from_str::<serde_json::Value>(line) else { continue };
            for field in ["ClientIP", "EdgeServerIP", "OriginIP"] {
                into.extend(row[field].as_str().filter(|v| v.len() > 6).map(str::to_owned));
            }
            let uri = row["ClientRequestURI"].as_str().unwrap_or_default();
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            // With its sign: a word may stand in a path, too, which is not redacted.
            into.extend(query.split('&').filter_map(|pair| pair.split_once('=')).map(|(_, v)| format!("={v}")).filter(|v| v.len() > 6));
        }
    }
}

#[test]
fn nothing_of_the_recorded_sites_leaves_with_redact() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-logs").canonicalize().unwrap();
    let mut seen = 0;
    for name in ["worker-crash-apache", "app-fatal-php", "client-blocked-nginx", "oom-kill-fpm", "origin-pull-rejected-apache"] {
        let dir = tempfile::tempdir().unwrap();
        let mut wanted = std::collections::BTreeSet::new();
        values(&root.join(name), &mut wanted);
        assert!(!wanted.is_empty(), "{name}");
        let out = dir.path().join("b.tgz");
        crate::support::run(&root, &["bundle", name, "--redact", "-q", "-o", out.to_str().unwrap()]).ended(0);
        for (member, text) in texts(&out) {
            for value in &wanted {
                // A value that is part of a longer word or number is another.
                let word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
                let leaks = text.match_indices(value.as_str()).any(|(at, _)| {
                    (value.starts_with('=') || !text[..at].ends_with(word))
                        && !text[at + value.len()..].starts_with(|c: char| word(c) && c != '.')
                });
                assert!(!leaks, "{name}: {value} is in {member}");
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}
