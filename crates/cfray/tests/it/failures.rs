//! What cannot be done is said with what, where, why and what to do, and ends with 2.

use crate::support::{Site, run, run_with};
use std::fs;

#[test]
fn bad_usage_ends_with_2_and_names_the_slip() {
    let site = Site::new();
    for (args, words) in [
        (&["analyse"][..], &["cfray: error", "analyze"][..]),
        (&["analyze", "--stauts", "520", "logs"], &["cfray: error", "--status"]),
        (&["analyze", "--status", "5xx", "logs"], &["5xx", "520-527"]),
        (&["analyze", "--since", "yesterday", "logs"], &["yesterday", "2026-11-22"]),
        (&["analyze", "--since", "1h", "--until", "2h", "logs"], &["--since", "not before"]),
        (&["analyze", "--tz", "Mars/Olympus", "logs"], &["Mars/Olympus", "Europe/Berlin"]),
        (&["analyze", "--server", "web1", "logs"], &["NAME=GLOB"]),
        (&["analyze", "--fail-on", "worker-crsh", "logs"], &["worker-crash"]),
        (&["analyze", "--redact", "--show-secrets", "logs"], &["--redact", "--show-secrets"]),
        (&["analyze", "-o", "report.xls", "logs"], &["report.xls", ".parquet"]),
        (&["analyze", "-o", "-", "logs"], &["--format"]),
        (&["analyze", "--format", "csv", "logs"], &["-o -"]),
        (&["analyze", "-o", "a.csv", "-o", "a.csv", "logs"], &["twice"]),
        (&["ray", "nonsense", "logs"], &["nonsense", "16 hexadecimal digits"]),
        (&["explain", "keepalive-rac"], &["keepalive-race"]),
    ] {
        let ran = site.run(args).ended(2).complains(words);
        assert!(ran.stdout.is_empty(), "{args:?}: {}", ran.stdout);
    }
    assert!(!site.file("a.csv").exists());
}

#[test]
fn a_directory_without_any_log_says_what_was_found_and_expected() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["analyze", "."]).ended(2).complains(&["cfray: error: no log to read", "empty", "Logpush", "cfray formats"]);
    fs::write(dir.path().join("notes.txt"), "a shopping list\nmilk\n").unwrap();
    fs::write(dir.path().join("logo.png"), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap();
    run(dir.path(), &["analyze", "."]).ended(2).complains(&["notes.txt", "logo.png", "Logpush"]);
    run(dir.path(), &["analyze"]).ended(2).complains(&["no log to read"]);
}

#[test]
fn a_path_that_is_not_there_is_named_and_the_rest_is_done() {
    let site = Site::new();
    site.run(&["analyze", "no-such-dir"]).ended(2).complains(&["no-such-dir"]);
    site.run(&["analyze", "logs", "no-such-dir"]).ended(0).complains(&["cfray: warning", "no-such-dir"]).says(&["520"]);
    site.run(&["analyze", "logs", "no-such-dir", "--strict", "-o", "r.csv"]).ended(2).complains(&["--strict"]);
    assert!(site.read("r.csv").contains(crate::support::RAY), "the report is written all the same");
}

#[test]
fn origin_logs_alone_cannot_tell_which_requests_were_520() {
    let site = Site::new();
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    site.run(&["analyze", "logs"]).ended(2).complains(&["no Cloudflare log", "--rays", "cfray ray"]);
}

#[test]
fn unwritable_outputs_are_known_before_anything_is_read() {
    let site = Site::new();
    fs::write(site.file("file"), "").unwrap();
    for output in ["no/such/dir/r.csv", "file/r.csv", "logs.csv/"] {
        let ran = site.run(&["analyze", "logs", "-o", output]).ended(2).complains(&["cfray: error: cannot"]);
        assert!(ran.stdout.is_empty());
    }
    site.run(&["analyze", "logs", "-o", "logs/edge.csv"]).ended(0);
    fs::write(site.file("edge.csv"), "RayID,EdgeResponseStatus,EdgeStartTimestamp,ClientRequestHost,ClientRequestMethod,ClientRequestURI\n9e0ad402c9afa70b,520,2026-11-22T12:24:07Z,shop.example.com,GET,/\n").unwrap();
    site.run(&["analyze", "edge.csv", "logs/error.log", "-o", "edge.csv"]).ended(2).complains(&["one of the logs being read"]);
    assert!(site.read("edge.csv").starts_with("RayID,"), "the log is still there");
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_reported() {
    let site = Site::new();
    if fs::metadata("/dev/full").is_ok() {
        site.run(&["analyze", "logs", "-o", "/dev/full", "--format", "csv"]).ended(2).complains(&["cfray: error", "/dev/full"]);
    }
}

#[test]
fn bad_lines_and_files_are_named_and_counted() {
    let site = Site::new();
    let mut edge = crate::support::edge();
    edge.push_str("{\"RayID\":\"9e0ad402c9afa70b\",\"EdgeRespon\n");
    fs::write(site.file("logs/edge.ndjson"), edge).unwrap();
    fs::write(site.file("logs/empty.log"), "").unwrap();
    site.run(&["analyze", "logs"]).ended(0).says(&["520"]);
    site.run(&["analyze", "logs", "--strict"]).ended(2);
    // Nothing else says so when there is no summary.
    let ran = site.run(&["analyze", "logs", "--strict", "-q"]).ended(2).complains(&["logs/edge.ndjson:41: rejected: ", "--strict"]);
    assert!(ran.stdout.is_empty());
}

#[cfg(unix)]
#[test]
fn advice_fits_what_is_wrong_with_a_path() {
    let site = Site::new();
    std::os::unix::fs::symlink("loop", site.file("loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", site.file("dangling")).unwrap();
    for (path, words) in [("missing", "check the spelling"), ("loop", "leads back to itself"), ("dangling", "leads to nothing")] {
        let ran = site.run(&["analyze", path]).ended(2).complains(&["cfray: error: no log to read", words]);
        assert!(!ran.stderr.contains("Logpush") && !ran.stderr.contains("warning"), "{}", ran.stderr);
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gzip, crate::support::edge().repeat(20).as_bytes()).unwrap();
    fs::write(site.file("edge.gz"), gzip.finish().unwrap()).unwrap();
    let ran = site.run(&["analyze", "edge.gz", "--max-inflate", "4K"]).complains(&["--max-inflate raises this limit"]);
    assert!(!ran.stderr.contains("fetch the file again"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_fifo_without_a_writer_is_not_waited_for() {
    let site = Site::new();
    let fifo = site.file("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    site.run(&["formats", "fifo", "logs/access.log"]).ended(0).says(&["fifo: not read: FIFO", "access.log: nginx-access"]);
}

#[test]
fn a_text_that_quotes_a_log_is_no_log() {
    let site = Site::new();
    let quote = crate::support::ERROR.lines().next().unwrap();
    fs::write(site.file("notes.md"), format!("# Monday\n\nThe shop was slow.\n\n```\n{quote}\n```\n\nIt went away.\nNobody knows why.\n"))
        .unwrap();
    fs::write(site.file("one.log"), format!("{quote}\n")).unwrap();
    site.run(&["formats", "notes.md", "one.log"]).ended(0).says(&["notes.md: not read: ", "one.log: nginx-error"]);
}

#[test]
fn truncated_compressed_data_is_named_and_the_rest_is_used() {
    use std::io::Write;
    let site = Site::new();
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(crate::support::edge().as_bytes()).unwrap();
    let whole = gzip.finish().unwrap();
    fs::write(site.file("logs/edge.ndjson.gz"), &whole[..whole.len() - 40]).unwrap();
    site.run(&["analyze", "logs"]).ended(0).complains(&["cfray: warning", "edge.ndjson.gz"]).says(&["520"]);
    site.run(&["analyze", "logs", "--strict"]).ended(2);
}

#[test]
fn nothing_a_file_is_called_reaches_the_terminal_raw() {
    let site = Site::new();
    fs::write(site.file("logs/evil\u{1b}[2J.bin"), b"\0\x01\x02").unwrap();
    let ran = site.run(&["analyze", "logs"]).ended(0);
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'));
    let ran = run_with(site.path(), &["formats", "logs"], "").ended(0);
    assert!(!ran.stdout.contains('\u{1b}'));
}

#[test]
fn fail_on_turns_findings_into_status_1() {
    let site = Site::new();
    site.run(&["analyze", "logs", "--fail-on", "any"]).ended(1).says(&["520"]);
    site.run(&["analyze", "logs", "--fail-on", "headers-too-large,wrong-origin"]).ended(0);
    site.run(&["analyze", "logs", "--fail-on", "any", "--host", "other.example.com"]).ended(0);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_with_130_and_leaves_nothing_behind() {
    use std::process::{Command, Stdio};
    let site = Site::new();
    // Standard input stays open, so the run waits for more rows until it is interrupted.
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("cfray"))
        .args(["analyze", "-", "-o", "r.csv"])
        .current_dir(site.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), crate::support::edge().as_bytes()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    // wait() closes standard input first; the pipe is taken out so that it stays open.
    let stdin = child.stdin.take();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdin);
    let left: Vec<_> = fs::read_dir(site.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["logs"]);
}
