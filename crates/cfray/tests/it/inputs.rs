//! Where input comes from: paths, `-`, and what is taken when nothing is said.

use crate::support::{self, RAY, Site, run, run_with};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// The rows of a CSV report, without the `source` column, which tells where a row was read.
fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let source = rows[0].iter().position(|name| name == "source").unwrap();
    rows.iter().map(|row| row.iter().enumerate().filter(|(i, _)| *i != source).map(|(_, cell)| cell.to_owned()).collect()).collect()
}

#[test]
fn without_a_path_a_pipe_is_read_and_else_the_current_directory() {
    let site = Site::new();
    run_with(site.path(), &["analyze"], support::edge()).ended(0).says(&["standard input", "520"]);
    run(&site.file("logs"), &["analyze"]).ended(0).says(&["current directory", "520"]);
}

#[cfg(unix)]
#[test]
fn a_regular_file_on_standard_input_is_input() {
    let site = Site::new();
    let file = fs::File::open(site.file("logs/edge.ndjson")).unwrap();
    let output = Command::new(assert_cmd::cargo::cargo_bin!("cfray")).arg("analyze").stdin(file).current_dir(site.path()).output().unwrap();
    support::Ran::from(output).ended(0).says(&["standard input", "520"]);
}

#[test]
fn the_stream_and_the_directory_give_the_same_rows() {
    let site = Site::new();
    site.run(&["analyze", "logs", "-o", "a.csv", "-q"]).ended(0);
    let edge = site.read("logs/edge.ndjson");
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    run_with(site.path(), &["analyze", "-", "logs", "-o", "b.csv", "-q"], edge.clone()).ended(0);
    assert_eq!(rows(&site.read("a.csv")), rows(&site.read("b.csv")));
    assert_eq!(rows(&site.read("a.csv")).len(), 2);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(edge.as_bytes()).unwrap();
    run_with(site.path(), &["analyze", "-", "logs", "-o", "c.csv", "-q"], gzip.finish().unwrap()).ended(0);
    assert_eq!(rows(&site.read("a.csv")), rows(&site.read("c.csv")));
}

#[test]
fn standard_input_may_be_an_origin_log() {
    let site = Site::new();
    let error = site.read("logs/error.log");
    fs::remove_file(site.file("logs/error.log")).unwrap();
    run_with(site.path(), &["analyze", "logs", "-", "-o", "r.csv"], error).ended(0).says(&["nginx"]);
}

#[test]
fn an_empty_stream_is_nothing_to_read() {
    let site = Site::new();
    run_with(site.path(), &["analyze", "-"], "").ended(2).complains(&["standard input"]);
}

#[test]
fn a_list_of_rays_stands_in_for_logpush() {
    let site = Site::new();
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    fs::write(site.file("rays.txt"), format!("{RAY}-FRA,2026-11-22T12:24:08Z,shop.example.com,GET,/page/33\nno ray\n")).unwrap();
    site.run(&["analyze", "--rays", "rays.txt", "logs", "-o", "r.csv"]).ended(0).complains(&["rays.txt:2"]);
    let report = site.read("r.csv");
    assert!(report.contains(RAY) && report.contains("rays.txt:1"), "{report}");
    site.run(&["analyze", "--rays", "missing.txt", "logs"]).ended(2).complains(&["missing.txt"]);
    fs::write(site.file("empty.txt"), "\n# nothing\n").unwrap();
    site.run(&["analyze", "--rays", "empty.txt", "logs"]).ended(2).complains(&["empty.txt", "one ray a line"]);
}

#[test]
fn a_list_of_bare_rays_will_do() {
    let site = Site::new();
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    fs::write(site.file("rays.txt"), format!("{RAY}\n9e0ad402c9af0005-FRA\n")).unwrap();
    site.run(&["analyze", "--rays", "rays.txt", "logs", "-q", "-o", "r.csv"]).ended(0);
    assert_eq!(rows(&site.read("r.csv")).len(), 3);
}

#[test]
fn a_list_of_rays_beside_logpush_is_refused() {
    let site = Site::new();
    fs::write(site.file("rays.txt"), format!("{RAY}\n")).unwrap();
    site.run(&["analyze", "--rays", "rays.txt", "logs"]).ended(2).complains(&["--rays", "edge.ndjson"]);
}

#[test]
fn selection_narrows_what_is_reported() {
    let site = Site::new();
    let count = |args: &[&str]| {
        let mut all = vec!["analyze", "logs", "-q", "-o", "s.csv"];
        all.extend_from_slice(args);
        site.run(&all).ended(0);
        rows(&site.read("s.csv")).len() - 1
    };
    assert_eq!(count(&[]), 1);
    assert_eq!(count(&["--since", "2026-11-22 12:00", "--until", "2026-11-22T13:00:00Z"]), 1);
    assert_eq!(count(&["--since", "2026-11-22T14:00:00+01:00"]), 0);
    assert_eq!(count(&["--host", "SHOP.example.com", "--colo", "fra"]), 1);
    assert_eq!(count(&["--colo", "AMS"]), 0);
    assert_eq!(count(&["--status", "200"]), 39);
    assert_eq!(count(&["--status", "521-527,530"]), 0);
}

#[test]
fn formats_lists_all_and_tells_what_files_are() {
    let site = Site::new();
    let list = site.run(&["formats"]).ended(0);
    list.says(&["cloudflare-ndjson", "nginx-access", "nginx-error", "php", "https://"]);
    let told = site.run(&["formats", "logs"]).ended(0);
    told.says(&["logs/edge.ndjson: cloudflare-ndjson", "logs/error.log: nginx-error", "logs/access.log: nginx-access"]);
    run_with(site.path(), &["formats", "-"], support::access()).ended(0).says(&["-: nginx-access"]);
    site.run(&["formats", "no-such-file"]).ended(2);
}

#[test]
fn one_thread_and_many_give_equal_bytes() {
    let site = Site::new();
    for (threads, name) in [("1", "one.json"), ("2", "two.json"), ("7", "many.json")] {
        site.run(&["analyze", "logs", "-q", "-j", threads, "-o", name]).ended(0);
    }
    assert_eq!(site.read("one.json"), site.read("two.json"));
    assert_eq!(site.read("one.json"), site.read("many.json"));
    site.run(&["analyze", "logs", "-q", "--mmap", "never", "-o", "read.json"]).ended(0);
    assert_eq!(site.read("one.json"), site.read("read.json"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let site = Site::new();
    for args in [
        &["explain"][..],
        &["formats"],
        &["man"],
        &["analyze", "logs"],
        &["analyze", "logs", "-o", "-", "--format", "json"],
        &["ray", RAY, "logs"],
    ] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("cfray"))
            .args(args)
            .current_dir(site.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("cfray: error"), "{args:?}");
    }
}
