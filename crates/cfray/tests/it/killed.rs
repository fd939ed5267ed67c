//! Ended in the middle of writing, or out of space: never half a report under its name, never an old one lost.
#![cfg(unix)]

use crate::support::Site;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A site with so many 520s that its report takes a while to write.
fn stormy() -> Site {
    let site = Site::new();
    let row = site.read("logs/edge.ndjson").lines().find(|l| l.contains(crate::support::RAY)).unwrap().to_owned();
    let rows: String = (0..12_000).map(|i| row.replace(crate::support::RAY, &format!("9e0bd402c9{i:06x}")) + "\n").collect();
    fs::write(site.file("logs/edge.ndjson"), site.read("logs/edge.ndjson") + &rows).unwrap();
    fs::write(site.file("r.json"), "the old report").unwrap();
    site
}

/// Temporary files of reports in a directory.
fn parts(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".part")).collect()
}

fn start(site: &Site) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("cfray"));
    command.args(["analyze", "logs", "-q", "-o", "r.json", "-o", "r.html"]).current_dir(site.path());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Sends the signal as soon as a report is being written; says how the run ended.
fn killed(site: &Site, signal: &str) -> ExitStatus {
    let mut child = start(site);
    let begun = Instant::now();
    while parts(site.path()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no report was begun");
        assert!(child.try_wait().unwrap().is_none(), "ended before a report was seen in the making");
        std::thread::sleep(Duration::from_micros(200));
    }
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    child.wait().unwrap()
}

/// The report is the old one, or the new one and whole.
fn whole(site: &Site) {
    let text = site.read("r.json");
    assert!(text == "the old report" || serde_json::from_str::<serde_json::Value>(&text).is_ok(), "half a report");
    if let Ok(page) = fs::read_to_string(site.file("r.html")) {
        assert!(page.trim_end().ends_with("</html>"), "half a page");
    }
}

#[test]
fn sigint_and_sigterm_leave_nothing_behind() {
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let site = stormy();
        assert_eq!(killed(&site, signal).code(), Some(status));
        whole(&site);
        assert_eq!(parts(site.path()), Vec::<String>::new(), "{signal}");
    }
}

#[test]
fn sigkill_leaves_the_old_report() {
    let site = stormy();
    let status = killed(&site, "-KILL");
    assert_eq!(status.signal(), Some(9));
    whole(&site);
    // What is left is named so that nobody takes it for a report, and the next run is not troubled by it.
    assert!(parts(site.path()).len() <= 1);
    site.run(&["analyze", "logs", "-q", "-o", "r.json"]).ended(0);
    assert!(serde_json::from_str::<serde_json::Value>(&site.read("r.json")).is_ok());
}

/// Nobody reads the FIFO that the report goes to: the run waits, and ends when it is told to.
#[test]
fn an_interrupt_does_not_wait_for_a_reader() {
    let site = Site::new();
    assert!(Command::new("mkfifo").arg(site.file("out.json")).status().unwrap().success());
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("cfray"));
    command.args(["analyze", "logs", "-o", "out.json"]).current_dir(site.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The system says when it waits in the opening of the FIFO; elsewhere some time has to do.
    let wchan = format!("/proc/{}/wchan", child.id());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) && !fs::read_to_string(&wchan).is_ok_and(|w| w.contains("fifo")) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), Some(130));
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "still waiting for a reader");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// On a terminal the line of the progress display is cleared and the cursor is there.
#[test]
fn an_interrupt_leaves_the_terminal_clean() {
    let site = Site::new();
    let tool = |name: &str, args: &[&str]| Command::new(name).args(args).current_dir(site.path()).status().is_ok_and(|s| s.success());
    if !tool("script", &["-qec", "true", "none.log"]) {
        println!("not tested: there is no script(1) to give it a terminal");
        return;
    }
    assert!(tool("mkfifo", &["rows.fifo"]));
    let line = format!("echo $$ > pid; exec '{}' analyze rows.fifo logs", assert_cmd::cargo::cargo_bin!("cfray").display());
    fs::write(site.file("start"), line).unwrap();
    let mut command = Command::new("script");
    command.args(["-qefc", "sh start", "terminal.log"]).current_dir(site.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Opened for reading as well, so that this does not wait for the run, and held, so that the run waits for more.
    let mut rows = fs::OpenOptions::new().read(true).write(true).open(site.file("rows.fifo")).unwrap();
    std::io::Write::write_all(&mut rows, crate::support::edge().as_bytes()).unwrap();
    let begun = Instant::now();
    let shown = || fs::read_to_string(site.file("terminal.log")).unwrap_or_default();
    while !shown().contains("B/s") {
        assert!(begun.elapsed() < Duration::from_secs(60), "no progress was shown: {:?}", shown());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", site.read("pid").trim()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(rows);
    let shown = shown();
    let last = &shown[shown.rfind("B/s").unwrap()..];
    let (_, after) = last.rsplit_once("\x1b[2K").expect("the line is cleared");
    let after = after.split("Script done").next().unwrap();
    assert!(!after.contains("\x1b[?25l") && after.trim().is_empty(), "{after:?} is left on the terminal");
    assert!(!shown.contains("\x1b[?25l") || last.contains("\x1b[?25h"), "the cursor is hidden");
}

/// A limit on the size of files stands for a disk that fills up half way through.
#[test]
fn out_of_space_leaves_the_old_report() {
    let site = stormy();
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" analyze logs -q -o r.json -o r.html -o r.csv";
    let output =
        Command::new("sh").args(["-c", script]).arg(assert_cmd::cargo::cargo_bin!("cfray")).current_dir(site.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("r.json") && told.contains("untouched"), "{told}");
    assert_eq!(site.read("r.json"), "the old report");
    assert!(!site.file("r.html").exists() && !site.file("r.csv").exists());
    assert_eq!(parts(site.path()), Vec::<String>::new());
}

#[test]
fn a_full_file_system() {
    let site = stormy();
    let disk = site.file("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&disk).stderr(Stdio::null()).status();
    if !mounted.is_ok_and(|s| s.success()) {
        println!("not tested: this user may not mount a file system");
        return;
    }
    fs::write(disk.join("r.json"), "the old report").unwrap();
    let ran = site.run(&["analyze", "logs", "-q", "-o", "disk/r.json", "-o", "disk/r.csv"]);
    let (old, left) = (fs::read_to_string(disk.join("r.json")).unwrap(), parts(&disk));
    let new = disk.join("r.csv").exists();
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
    ran.ended(2).complains(&["disk/r.json", "untouched"]);
    assert_eq!((old.as_str(), left.len(), new), ("the old report", 0, false));
}
