//! What a report of slices says of whole files: as if there had been one pass over them, or that there was not.

use crate::spilled::sliced_between;
use cfray_model::EvidenceKind;
use cfray_model::report::{Report, SourceSummary};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Requests, six seconds apart.
const REQUESTS: i64 = 1200;
/// Incidents of a slice, at least: there are three slices.
const AT_ONCE: usize = 190;

fn at(i: i64) -> chrono::DateTime<chrono::Utc> {
    "2026-11-22T12:00:00.100Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap() + chrono::Duration::milliseconds(i * 6037)
}

fn fails(i: i64) -> bool {
    i % 2 == 1
}

/// Every other request ends in a 520 and has a 444 in the log; these come through some edge addresses. `clock` says how many seconds
/// the server's clock is ahead at a request, `logged` which requests have a line.
fn site(clock: impl Fn(i64) -> i64, logged: impl Fn(i64) -> bool) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (mut edge, mut access, mut error) = (String::new(), String::new(), String::new());
    for i in 0..REQUESTS {
        let (start, end) = (at(i), at(i) + chrono::Duration::milliseconds(80));
        let (status, origin, written, block) = if fails(i) { (520, 0, 444, 70) } else { (200, 200, 200, 71) };
        let ray = format!("9e0ad402c9{i:06x}");
        let address = format!("172.{block}.1.{}", i % 7);
        let _ = writeln!(
            edge,
            "{{\"RayID\":\"{ray}\",\"EdgeStartTimestamp\":\"{}\",\"EdgeEndTimestamp\":\"{}\",\"EdgeResponseStatus\":{status},\
             \"OriginResponseStatus\":{origin},\"ClientRequestHost\":\"www.example.com\",\"ClientRequestMethod\":\"GET\",\
             \"ClientRequestURI\":\"/page/{i}\",\"ClientIP\":\"203.0.113.{}\",\"ClientRequestUserAgent\":\"curl/8\",\
             \"EdgeColoCode\":\"FRA\",\"EdgeServerIP\":\"{address}\",\"OriginIP\":\"192.0.2.10\",\"OriginTCPHandshakeDurationMs\":12,\
             \"OriginTLSHandshakeDurationMs\":20,\"OriginResponseHeaderReceiveDurationMs\":40,\"ClientRequestSource\":\"eyeball\"}}",
            start.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
            end.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
            i % 250,
        );
        if logged(i) {
            let time = end + chrono::Duration::seconds(clock(i));
            let _ = writeln!(
                access,
                "{address} - - [{} +0000] \"GET /page/{i} HTTP/1.1\" {written} {} \"-\" \"curl/8\" {ray}-FRA",
                time.format("%d/%b/%Y:%H:%M:%S"),
                if written == 444 { 0 } else { 512 },
            );
            if i % 3 == 0 {
                let _ = writeln!(
                    error,
                    "{} [error] 812#812: *{i} open() \"/srv/page/{i}\" failed (2: No such file or directory), client: {address}, \
                     server: www.example.com, request: \"GET /page/{i} HTTP/1.1\", host: \"www.example.com\"",
                    time.format("%Y/%m/%d %H:%M:%S"),
                );
            }
        }
    }
    for (name, text) in [("edge.ndjson", edge), ("access.log", access), ("error.log", error)] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn both(dir: &Path) -> (Report, Report) {
    let (whole, none) = sliced_between(&[dir], usize::MAX, |_| ());
    let (cut, slices) = sliced_between(&[dir], AT_ONCE, |_| ());
    assert_eq!((none, slices), (0, 3));
    (whole, cut)
}

fn source<'r>(report: &'r Report, name: &str) -> &'r SourceSummary {
    report.sources.iter().find(|s| s.info.name.ends_with(name)).unwrap()
}

#[test]
fn each_line_is_tied_once() {
    let dir = site(|_| 0, |_| true);
    let (whole, cut) = both(dir.path());
    for name in ["access.log", "error.log"] {
        let (a, b) = (source(&whole, name), source(&cut, name));
        assert!(a.tied > 100 && a.tied == b.tied, "{name}: {} and {}", a.tied, b.tied);
    }
    let ties = |r: &Report| r.edge.origins.iter().map(|(.., n)| *n).sum::<u64>();
    let lines: u64 = ["access.log", "error.log"].iter().map(|name| source(&cut, name).lines).sum();
    assert!(ties(&cut) >= 600 && ties(&cut) <= lines && ties(&whole) <= lines, "{} and {} of {lines}", ties(&cut), ties(&whole));
}

#[test]
fn a_clock_that_was_turned_is_told_of_the_whole_file() {
    for by in [2400, -2400] {
        let dir = site(|i| if i > 700 { by } else { 0 }, |_| true);
        let (whole, cut) = both(dir.path());
        for report in [&whole, &cut] {
            let access = source(report, "access.log");
            let clock = access.measured.as_ref().unwrap();
            assert!(matches!(clock.steps.as_slice(), [(_, step)] if (step - by as f64).abs() < 2.0), "{}", access.clock);
            assert_eq!(access.gaps, [], "digits that no clock showed");
            for (end, request) in [(access.first, 0), (access.last, REQUESTS - 1)] {
                let off = end.unwrap().millis() - at(request).timestamp_millis();
                assert!(off.abs() < 2_000, "{by}: {off} ms, request {request}, {}", access.clock);
            }
        }
        let ends = |s: &SourceSummary| (s.measured.clone().unwrap().by, s.clock_unknown, s.lines, s.parsed);
        assert_eq!(ends(source(&whole, "access.log")), ends(source(&cut, "access.log")));
    }
}

#[test]
fn numbers_of_the_audit_are_of_everything_and_comparisons_say_their_slice() {
    let dir = site(|_| 0, |i| !(300..500).contains(&i) && !(900..980).contains(&i));
    let (whole, cut) = both(dir.path());
    let items = |r: &Report| r.audit.iter().map(|i| (i.server.clone(), i.what.clone(), i.paste.clone())).collect::<Vec<_>>();
    assert_eq!(items(&whole), items(&cut));
    assert!(
        items(&cut).iter().any(|(_, what, _)| what.contains("does not cover 14") && what.ends_with("of 600 520s")),
        "{:?}",
        items(&cut)
    );
    let gaps = |r: &Report| source(r, "access.log").gaps.iter().map(|(a, b)| (a.secs() / 60, b.secs() / 60)).collect::<Vec<_>>();
    assert_eq!((gaps(&whole).len(), gaps(&whole)), (1, gaps(&cut)));
    let compared = |r: &Report, says: &str| {
        let contrast = |e: &&cfray_model::Evidence| e.kind == EvidenceKind::Contrast;
        let rows = r.rows.iter().map(|row| row.verdict.evidence.iter().filter(contrast).map(|e| e.text.contains(says)).collect::<Vec<_>>());
        let all: Vec<bool> = rows.flatten().collect();
        (all.len() > 100, all.iter().all(|says| *says), all.iter().any(|says| *says))
    };
    assert_eq!(compared(&cut, " of 3)"), (true, true, true));
    assert_eq!(compared(&whole, "slice"), (true, false, false));
}

#[test]
fn a_log_that_goes_away_between_slices_is_told() {
    type Lose = fn(&Path);
    let lose: [(&str, Lose); 3] = [
        ("No such file", |log| fs::remove_file(log).unwrap()),
        ("became shorter", |log| fs::write(log, "").unwrap()),
        ("replaced", |log| {
            // Beside it it would be found.
            let elsewhere = log.with_file_name("old");
            fs::create_dir(&elsewhere).unwrap();
            fs::rename(log, elsewhere.join("access.log")).unwrap();
            fs::write(log, "").unwrap();
        }),
    ];
    for (why, lose) in lose {
        let dir = site(|_| 0, |_| true);
        let log = dir.path().join("access.log");
        let (report, slices) = sliced_between(&[dir.path()], AT_ONCE, |pass| {
            if pass == 2 {
                lose(&log)
            }
        });
        assert_eq!(slices, 3);
        let notes = &report.meta.notes;
        assert!(notes.iter().any(|n| n.contains("access.log: ") && n.contains(why)), "{why}: {notes:?}");
        let told = |n: &&String| n.contains("access.log was not what it had been") && n.contains("slice 2, 3 of 3: 400 incidents");
        assert_eq!(notes.iter().filter(told).count(), 1, "{why}: {notes:?}");
        let (access, error) = (source(&report, "access.log"), source(&report, "error.log"));
        assert_eq!((access.lines, access.parsed, error.lines, access.clock_unknown), (0, 0, 400, false), "{why}");
        let lacks: Vec<bool> = report.rows.iter().map(|r| r.verdict.missing.iter().any(|m| m.contains("1,200 lines when"))).collect();
        assert_eq!((lacks.len(), lacks.iter().position(|l| *l), lacks.iter().filter(|l| **l).count()), (600, Some(200), 400), "{why}");
    }
}
