//! Clocks that change within a file, and clocks that nothing tells.

use crate::support::run;
use chrono::{DateTime, Duration, Utc};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A request every `every_s` seconds; each `fails`-th gets a 444.
struct Long {
    from: DateTime<Utc>,
    every_s: i64,
    requests: i64,
    rays: bool,
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

impl Long {
    fn at(&self, i: i64) -> DateTime<Utc> {
        // Not at the same fraction of every second.
        self.from + Duration::seconds(self.every_s * i) + Duration::milliseconds(i * 373 % 1000)
    }

    fn status(i: i64) -> i64 {
        if i % 40 == 7 { 520 } else { 200 }
    }

    /// Pages are asked for several times at no regular distance: false pairs.
    fn page(i: i64) -> i64 {
        (i * i * 31 + i * 7919) % 331
    }

    fn client(i: i64) -> i64 {
        1 + i * 13 % 17
    }

    fn ray(i: i64) -> String {
        format!("9e0ad402c9{:06x}", i + 1)
    }

    fn edge(&self) -> String {
        let mut out = String::new();
        for i in 0..self.requests {
            let (start, status) = (self.at(i), Self::status(i));
            let end = start + Duration::milliseconds(80);
            let _ = writeln!(
                out,
                "{{\"RayID\":\"{}\",\"EdgeStartTimestamp\":\"{}\",\"EdgeEndTimestamp\":\"{}\",\"EdgeResponseStatus\":{status},\
                 \"OriginResponseStatus\":{},\"ClientRequestHost\":\"www.example.com\",\"ClientRequestMethod\":\"GET\",\
                 \"ClientRequestURI\":\"/page/{}\",\"ClientIP\":\"203.0.113.{}\",\"ClientRequestUserAgent\":\"curl/8\",\
                 \"EdgeColoCode\":\"FRA\",\"EdgeServerIP\":\"172.70.1.1\",\"OriginIP\":\"192.0.2.10\",\"OriginTCPHandshakeDurationMs\":12,\
                 \"OriginTLSHandshakeDurationMs\":20,\"OriginResponseHeaderReceiveDurationMs\":40,\"ClientRequestSource\":\"eyeball\"}}",
                Self::ray(i),
                start.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
                end.format("%Y-%m-%dT%H:%M:%S%.3fZ"),
                if status == 520 { 0 } else { status },
                Self::page(i),
                Self::client(i),
            );
        }
        out
    }

    /// nginx access lines; `shown` says what the clock shows and the zone text.
    fn access(&self, shown: impl Fn(DateTime<Utc>) -> (DateTime<Utc>, &'static str)) -> String {
        let mut out = String::new();
        for i in 0..self.requests {
            let (time, zone) = shown(self.at(i) + Duration::milliseconds(60));
            let status = if Self::status(i) == 520 { 444 } else { 200 };
            let ray = if self.rays { format!(" {}-FRA", Self::ray(i)) } else { String::new() };
            let _ = writeln!(
                out,
                "203.0.113.{} - - [{} {zone}] \"GET /page/{} HTTP/1.1\" {status} {} \"-\" \"curl/8\"{ray}",
                Self::client(i),
                time.format("%d/%b/%Y:%H:%M:%S"),
                Self::page(i),
                if status == 444 { 0 } else { 512 },
            );
        }
        out
    }
}

fn write(dir: &TempDir, files: &[(&str, String)]) {
    fs::create_dir_all(dir.path().join("logs")).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join("logs").join(name), text).unwrap();
    }
}

fn report(dir: &Path, args: &[&str]) -> serde_json::Value {
    let mut all = vec!["analyze", "logs", "-q", "-o", "r.json"];
    all.extend(args);
    run(dir, &all).ended(0);
    serde_json::from_slice(&fs::read(dir.join("r.json")).unwrap()).unwrap()
}

fn source(report: &serde_json::Value, name: &str) -> serde_json::Value {
    let found = report["sources"].as_array().unwrap().iter().find(|s| s["info"]["name"] == format!("logs/{name}"));
    found.cloned().unwrap_or_else(|| panic!("{name} is not in {}", report["sources"]))
}

fn off_s(stated: &serde_json::Value, wanted: DateTime<Utc>) -> f64 {
    (utc(stated.as_str().unwrap()) - wanted).num_milliseconds() as f64 / 1000.0
}

#[test]
fn two_seconds_an_hour_are_followed_over_six_hours() {
    for (rays, tolerance) in [(true, 1.0), (false, 2.0)] {
        let site = Long { from: utc("2026-11-22T04:00:00Z"), every_s: 30, requests: 720, rays };
        let shown = |t: DateTime<Utc>| {
            let hours = (t - site.from).num_milliseconds() as f64 / 3_600_000.0;
            (t + Duration::milliseconds(((-18_000.0 - 90.0 + 2.0 * hours) * 1000.0) as i64), "-0500")
        };
        let dir = tempfile::tempdir().unwrap();
        write(&dir, &[("edge.ndjson", site.edge()), ("access.log", site.access(shown))]);
        let report = report(dir.path(), &[]);
        let access = source(&report, "access.log");
        let drift = access["measured"]["drift_s_per_hour"].as_f64().unwrap();
        assert!((drift - 2.0).abs() < 0.2, "{drift}: {}", access["clock"]);
        assert_eq!(access["measured"]["by"], if rays { "ray" } else { "request" });
        for (end, at) in [("first", site.at(0)), ("last", site.at(site.requests - 1))] {
            assert!(off_s(&access[end], at).abs() <= tolerance, "{end} {}: {}", access[end], access["clock"]);
        }
        assert!(access["clock"].as_str().unwrap().contains("gaining 2.0 s an hour"), "{}", access["clock"]);
        assert_eq!(access["tied"], 18, "each 520 has its line");
    }
}

/// What a clock in Berlin shows around the end of summer time, at 01:00 UTC.
fn berlin(t: DateTime<Utc>) -> (DateTime<Utc>, &'static str) {
    if t < utc("2026-10-25T01:00:00Z") { (t + Duration::hours(2), "+0200") } else { (t + Duration::hours(1), "+0100") }
}

/// An error log without zone whose lines name requests, with a worker's death at both times of 02:30:10.
fn errors(site: &Long) -> String {
    let mut lines: Vec<(DateTime<Utc>, String)> = Vec::new();
    for i in (0..site.requests).filter(|i| i % 5 == 2 && Long::status(*i) == 200) {
        let client = Long::client(i);
        lines.push((
            site.at(i) + Duration::milliseconds(50),
            format!(
                "[error] 9#9: *{i} open() \"/srv/x\" failed (2: No such file or directory), client: 203.0.113.{client}, server: _, \
                 request: \"GET /page/{} HTTP/1.1\", host: \"www.example.com\"",
                Long::page(i)
            ),
        ));
    }
    for (at, pid) in [("2026-10-25T00:30:10Z", 4242), ("2026-10-25T01:30:10Z", 4343)] {
        lines.push((utc(at), format!("[alert] 811#811: worker process {pid} exited on signal 11 (core dumped)")));
    }
    lines.sort();
    lines.iter().map(|(t, text)| format!("{} {text}\n", berlin(*t).0.format("%Y/%m/%d %H:%M:%S"))).collect()
}

#[test]
fn the_hour_that_comes_twice_is_told_apart() {
    let site = Long { from: utc("2026-10-24T23:00:00Z"), every_s: 10, requests: 1440, rays: false };
    // Two requests die with their workers and leave no line.
    let dead: Vec<i64> =
        [utc("2026-10-25T00:30:10Z"), utc("2026-10-25T01:30:10Z")].iter().map(|t| (*t - site.from).num_seconds() / site.every_s).collect();
    let edge: Vec<String> = site.edge().lines().map(str::to_owned).collect();
    let edge = (0i64..).zip(edge).map(|(i, line)| {
        if dead.contains(&i) {
            line.replace("\"EdgeResponseStatus\":200,\"OriginResponseStatus\":200", "\"EdgeResponseStatus\":520,\"OriginResponseStatus\":0")
                + "\n"
        } else {
            line + "\n"
        }
    });
    let edge: String = edge.collect();
    let access: String =
        (0i64..).zip(site.access(berlin).lines()).filter(|(i, _)| !dead.contains(i)).map(|(_, l)| format!("{l}\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    write(&dir, &[("edge.ndjson", edge), ("access.log", access), ("error.log", errors(&site))]);
    let told = report(dir.path(), &[]);
    let clock = source(&told, "error.log");
    assert_eq!(clock["measured"]["steps"].as_array().unwrap().len(), 1, "{clock}");
    assert_eq!(clock["measured"]["steps"][0][1].as_f64().unwrap().round(), -3600.0, "{clock}");
    assert!(clock["clock"].as_str().unwrap().contains("turned back by 60 min"), "{}", clock["clock"]);
    let rows = told["rows"].as_array().unwrap();
    for (i, pid) in dead.iter().zip(["4242", "4343"]) {
        let row = rows.iter().find(|r| r["ray_id"] == Long::ray(*i)).unwrap();
        assert_eq!(row["cause"], "worker-crash", "{row}");
        assert!(row["evidence"].to_string().contains(&format!("worker process {pid} exited")), "{row}");
    }
    // The same by a zone that the user names, where the error log's pairs only confirm it.
    let named = report(dir.path(), &["--tz", "error.log=Europe/Berlin"]);
    let cause = |report: &serde_json::Value| -> Vec<serde_json::Value> {
        report["rows"].as_array().unwrap().iter().map(|r| r["cause"].clone()).collect()
    };
    assert_eq!(cause(&told), cause(&named));
    assert!(source(&named, "error.log")["clock"].as_str().unwrap().contains("zone given by --tz"), "{}", source(&named, "error.log"));
}

/// A fatal error a close, each line in another zone; `digits` are written as that zone's, or all as UTC's.
fn fatals(site: &Long, right: bool) -> String {
    let zones = [(0, "UTC"), (1, "Europe/Berlin"), (-5, "America/New_York"), (5, "Asia/Karachi")];
    let closes = (0..site.requests).filter(|i| Long::status(*i) == 520);
    let line = |(k, i): (usize, i64)| {
        let (hours, zone) = zones[k % zones.len()];
        let time = site.at(i) + Duration::milliseconds(55) + Duration::hours(if right { hours } else { 0 });
        let time = time.format("%d-%b-%Y %H:%M:%S");
        format!(
            "[{time} {zone}] PHP Fatal error:  Uncaught Error: Call to undefined function f() in /srv/app/index.php:3\nStack trace:\n#0 {{main}}\n  thrown in /srv/app/index.php on line 3\n"
        )
    };
    closes.enumerate().map(line).collect()
}

#[test]
fn zones_of_a_php_log_belong_to_its_lines() {
    let site = Long { from: utc("2026-11-22T12:00:00Z"), every_s: 10, requests: 600, rays: true };
    let causes = |right: bool| {
        let dir = tempfile::tempdir().unwrap();
        write(&dir, &[("edge.ndjson", site.edge()), ("access.log", site.access(|t| (t, "+0000"))), ("php.log", fatals(&site, right))]);
        let rows = report(dir.path(), &[])["rows"].as_array().unwrap().clone();
        (rows.len(), rows.iter().filter(|r| r["cause"] == "app-fatal").count())
    };
    let (all, fatal) = causes(true);
    assert_eq!((all, fatal), (15, 15));
    let (_, fatal) = causes(false);
    assert!(fatal < 8, "digits that belong to another hour: {fatal}");
}

#[test]
fn a_log_that_nothing_ties_gives_no_tie_by_time_and_says_so() {
    let site = Long { from: utc("2026-11-22T12:00:00Z"), every_s: 2, requests: 100, rays: false };
    let death = site.at(7) + Duration::milliseconds(70);
    let time = death.format("%Y/%m/%d %H:%M:%S");
    // The master's further lines show that it is one: a line alone may be a client's own words.
    let error =
        format!("{time} [alert] 811#811: worker process 4242 exited on signal 11\n{time} [notice] 811#811: start worker process 4243\n");
    let dir = tempfile::tempdir().unwrap();
    write(&dir, &[("edge.ndjson", site.edge()), ("error.log", error)]);
    let untied = report(dir.path(), &[]);
    let error = source(&untied, "error.log");
    assert_eq!((error["clock_unknown"].clone(), error["measured"].clone()), (true.into(), serde_json::Value::Null));
    assert!(error["clock"].as_str().unwrap().contains("--tz ZONE"), "{error}");
    assert!(untied["rows"].as_array().unwrap().iter().all(|r| r["match"] == "none" && r["cause"] == "unknown"), "{}", untied["rows"]);
    let tied = report(dir.path(), &["--tz", "UTC"]);
    let row = &tied["rows"].as_array().unwrap()[0];
    assert_eq!((row["match"].as_str(), row["cause"].as_str()), (Some("window"), Some("worker-crash")), "{row}");
}

#[test]
fn patterns_without_effect_are_named() {
    let site = Long { from: utc("2026-11-22T12:00:00Z"), every_s: 2, requests: 60, rays: false };
    let dir = tempfile::tempdir().unwrap();
    write(
        &dir,
        &[
            ("edge.ndjson", site.edge()),
            ("access.log", site.access(|t| (t, "+0000"))),
            ("b.log", site.access(|t| (t, "+0000")).replace("curl", "wget")),
        ],
    );
    let quiet = |args: &[&str]| {
        let mut all = vec!["analyze", "logs", "-q"];
        all.extend(args);
        run(dir.path(), &all).ended(0)
    };
    assert_eq!(quiet(&["--tz", "acc*.log=UTC", "--server", "web1=logs"]).stderr, "");
    quiet(&["--tz", "web9/*=Europe/Berlin"]).complains(&["--tz", "\"web9/*\"", "logs/access.log"]);
    quiet(&["--server", "db=db1/*"]).complains(&["--server db", "\"db1/*\""]);
    quiet(&["--log-format", "db*.log=$remote_addr [$time_local] \"$request\" $status"]).complains(&["--log-format", "\"db*.log\""]);
    let loose = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";
    quiet(&["--log-format", loose]).complains(&["all 2 origin logs", "logs/access.log"]);
    quiet(&["--log-format", "$status|$request"]).complains(&["fits no file"]);
}
