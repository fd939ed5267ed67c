//! What may lie in a directory of logs, and what a file may hold, through the binary: it ends, in time and within memory,
//! says what was left out, and the rest is analysed.
#![cfg(unix)]

use crate::support::{RAY, Ran, Site, run};
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs it under a limit of address space (KB) and of processor time (seconds).
fn bounded(dir: &Path, args: &[&str], kilobytes: u64, seconds: u64) -> Ran {
    let binary = assert_cmd::cargo::cargo_bin!("cfray");
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {kilobytes}; ulimit -t {seconds}; exec \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(binary).args(args).current_dir(dir).env("TERM", "xterm").stdin(Stdio::null());
    command.output().unwrap().into()
}

/// Address space enough for any of these tests, and too little for holding what they feed.
const KILOBYTES: u64 = 1_500_000;

fn gzip(parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for part in parts {
        packer.write_all(&part).unwrap();
    }
    packer.finish().unwrap()
}

fn tool(name: &str, args: &[&str], dir: &Path) -> bool {
    Command::new(name).args(args).current_dir(dir).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// No byte that a terminal would obey.
fn harmless(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn what_is_no_file_is_passed_over() {
    let site = Site::new();
    let logs = site.file("logs");
    assert!(tool("mkfifo", &["pipe.log"], &logs));
    let _socket = std::os::unix::net::UnixListener::bind(logs.join("socket.log")).unwrap();
    symlink("/dev/zero", logs.join("zero.log")).unwrap();
    symlink("/dev/stdin", logs.join("stdin.log")).unwrap();
    symlink("..", logs.join("up")).unwrap();
    symlink("self", logs.join("self")).unwrap();
    symlink("nowhere", logs.join("nothing.log")).unwrap();
    symlink("access.log", logs.join("again.log")).unwrap();
    fs::create_dir(logs.join("deep")).unwrap();
    symlink("../../logs", logs.join("deep/logs")).unwrap();
    // Files of the kernel have no length and may never end.
    for file in ["/proc/version", "/proc/kmsg", "/proc/self/maps", "/proc/self/mem", "/proc/self/environ"] {
        if Path::new(file).exists() {
            symlink(file, logs.join(format!("proc-{}", file.replace('/', "-")))).unwrap();
        }
    }
    let ran = bounded(site.path(), &["analyze", "logs", "-o", "r.json"], KILOBYTES, 20).ended(0).says(&["520"]);
    harmless(&ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&site.read("r.json")).unwrap();
    let skipped = report["skipped"].to_string() + &report.to_string();
    for word in ["FIFO", "socket", "device", "same file as"] {
        assert!(skipped.contains(word), "{word}: {skipped}");
    }
    assert!(site.read("r.json").contains(RAY));
}

#[test]
fn names_of_files_may_be_any_bytes() {
    let site = Site::new();
    let logs = site.file("logs");
    let access = fs::read(logs.join("access.log")).unwrap();
    fs::remove_file(logs.join("access.log")).unwrap();
    for name in [
        &b"new\nline.log"[..],
        b"not\xff\xfeutf8.log",
        b"\x1b]0;title\x07\x1b[31mred.log",
        b"-o",
        b"=cmd|'calc'!A0.log",
        b"\xe2\x80\xaeright.log",
        b" ",
    ] {
        let mut text = access.clone();
        text.extend_from_slice(
            format!("172.70.1.9 - - [22/Nov/2026:12:25:00 +0000] \"GET /{} HTTP/1.1\" 200 1 \"-\" \"x\"\n", name.len()).as_bytes(),
        );
        fs::write(logs.join(OsStr::from_bytes(name)), text).unwrap();
    }
    let args = ["analyze", "logs", "-o", "r.csv", "-o", "r.json", "-o", "r.html", "-o", "r.md", "-o", "r.ndjson", "-o", "r.parquet"];
    let ran = site.run(&args).ended(0).says(&["520"]);
    harmless(&ran.stdout);
    harmless(&ran.stderr);
    for file in ["r.json", "r.html", "r.md", "r.ndjson"] {
        let text = site.read(file);
        assert!(!text.contains('\x1b') && !text.contains('\x07'), "{file}");
    }
    let told = site.run(&["formats", "logs"]).ended(0);
    harmless(&told.stdout);
    harmless(&site.run(&["ray", RAY, "logs"]).ended(0).stdout);
}

#[test]
fn files_that_may_not_be_read_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::new();
    // Root may read everything: then somebody else runs it, with a binary that he may run.
    let copied = site.file("cfray");
    fs::copy(assert_cmd::cargo::cargo_bin!("cfray"), &copied).unwrap();
    for (path, mode) in [("", 0o755), ("cfray", 0o755), ("logs", 0o755), ("logs/error.log", 0o0)] {
        fs::set_permissions(site.file(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let run = |args: &[&str]| -> Ran {
        let mut command = if fs::File::open(site.file("logs/error.log")).is_ok() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copied);
            command
        } else {
            Command::new(&copied)
        };
        command.args(args).current_dir(site.path()).stdin(Stdio::null()).output().unwrap().into()
    };
    if !tool("setpriv", &["true"], site.path()) {
        println!("not tested: there is no setpriv");
        return;
    }
    run(&["analyze", "logs"]).ended(0).complains(&["error.log", "ermission"]).says(&["520"]);
    run(&["analyze", "logs", "--strict"]).ended(2);
    // A directory that may be listed but not entered, and one that may not be listed.
    for mode in [0o644, 0o311] {
        let hidden = site.file("logs/hidden");
        fs::create_dir_all(&hidden).unwrap();
        fs::write(hidden.join("access.log"), crate::support::access()).unwrap();
        fs::set_permissions(&hidden, fs::Permissions::from_mode(mode)).unwrap();
        run(&["analyze", "logs"]).ended(0).complains(&["hidden", "ermission"]).says(&["520"]);
        fs::set_permissions(&hidden, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn a_directory_of_many_files() {
    let site = Site::new();
    let many = site.file("logs/many");
    fs::create_dir(&many).unwrap();
    for i in 0..10_000 {
        fs::write(many.join(format!("{i:06}.txt")), if i % 100 == 0 { "a line of prose\n" } else { "" }).unwrap();
    }
    let ran = bounded(site.path(), &["analyze", "logs"], KILOBYTES, 60).ended(0).says(&["520"]);
    assert!(ran.stdout.len() < 20_000, "the summary does not list them all");
}

#[test]
fn compressed_bombs_reach_a_cap_and_say_so() {
    let site = Site::new();
    // Members of a megabyte each, packed once.
    let zeros = gzip(std::iter::once(vec![b'0'; 1 << 20]));
    fs::write(site.file("logs/zeros.log.gz"), zeros.repeat(20)).unwrap();
    let row = format!("{{\"RayID\":\"\",\"x\":\"{}\"}}\n", "a".repeat(64_000));
    let member = gzip(std::iter::once(row.repeat(16).into_bytes()));
    let bomb = [gzip(std::iter::once(crate::support::edge().into_bytes())), member.repeat(72)].concat();
    fs::write(site.file("logs/bomb.ndjson.gz"), bomb).unwrap();
    let ran = bounded(site.path(), &["analyze", "logs"], KILOBYTES, 120).ended(0).says(&["520"]);
    ran.complains(&["bomb.ndjson.gz", "times its size", "--max-ratio"]);
    let ran = bounded(site.path(), &["analyze", "logs", "--max-inflate", "1M"], KILOBYTES, 60).ended(0);
    ran.complains(&["bomb.ndjson.gz", "expands to more than 1048576 bytes", "--max-inflate"]);
    bounded(site.path(), &["analyze", "logs", "--max-inflate", "1M", "--strict", "-q"], KILOBYTES, 60).ended(2);
}

#[test]
fn damaged_members_yield_what_stands_before_the_damage() {
    let site = Site::new();
    let rows = fs::read(site.file("logs/edge.ndjson")).unwrap();
    fs::remove_file(site.file("logs/edge.ndjson")).unwrap();
    let whole = gzip(std::iter::once(rows.clone()));
    let half = rows.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(20).unwrap().0 + 1;
    let two = [gzip(std::iter::once(rows[..half].to_vec())), gzip(std::iter::once(rows[half..].to_vec()))].concat();
    let check = |bytes: &[u8], status: i32, words: &[&str]| {
        fs::write(site.file("logs/edge.ndjson.gz"), bytes).unwrap();
        site.run(&["analyze", "logs", "--strict", "-o", "r.csv"]).ended(status).complains(words);
        site.read("r.csv")
    };
    assert!(check(&two, 0, &[]).contains(RAY), "two members are one file");
    assert!(check(&[&whole[..], b"trailing bytes that are no member"].concat(), 2, &["edge.ndjson.gz"]).contains(RAY));
    assert!(check(&whole[..whole.len() - 6], 2, &["ends early"]).contains(RAY), "only the checksum is missing");
    let mut sum = whole.clone();
    let at = sum.len() - 6;
    sum[at] ^= 0x55;
    assert!(check(&sum, 2, &["corrupt"]).contains(RAY));
}

#[test]
fn a_line_without_an_end_is_not_held() {
    let site = Site::new();
    for (file, head) in [("logs/edge.ndjson", "{\"x\":\""), ("logs/access.log", "192.0.2.1 - - [22/Nov/2026:12:25:00 +0000] \"GET /")] {
        let mut out = fs::OpenOptions::new().append(true).open(site.file(file)).unwrap();
        out.write_all(head.as_bytes()).unwrap();
        for _ in 0..64 {
            out.write_all(&vec![b'a'; 1 << 20]).unwrap();
        }
        out.write_all(b"\n").unwrap();
    }
    // Two lines of 64 MB in an address space that a few copies of them would fill.
    let ran = bounded(site.path(), &["analyze", "logs", "-j", "2"], 700_000, 60).ended(0).says(&["520"]);
    assert!(ran.stdout.contains("64 MB") || ran.stdout.contains("longer") || ran.stdout.contains("rejected"), "{}", ran.stdout);
    bounded(site.path(), &["analyze", "logs", "--strict", "-q"], 700_000, 60).ended(2);
}

#[test]
fn rows_of_strange_shapes() {
    let site = Site::new();
    let mut rows = crate::support::edge();
    let failing = rows.lines().find(|l| l.contains(RAY)).unwrap().to_owned();
    let other = |digit: &str| failing.replace(RAY, &format!("{}{digit}", &RAY[..15]));
    let row = |digit: &str, from: &str, to: &str| {
        let row = other(digit);
        assert!(row.contains(from), "{from}");
        row.replacen(from, to, 1) + "\n"
    };
    let many: String = (0..1_000_000).map(|i| format!("\"f{i:x}\":1,")).collect();
    rows += &row("b", "{", &format!("{{{many}"));
    rows += &row("c", "{", &format!("{{\"deep\":{}{},", "[".repeat(200_000), "]".repeat(200_000)));
    rows += &row("d", "{", &format!("{{\"deep\":{}1{},", "{\"a\":".repeat(100_000), "}".repeat(100_000)));
    rows += &row("e", "\"ClientASN\":64500", "\"ClientASN\":99999999999999999999999999999999999999999");
    rows += &row("f", "\"OriginTCPHandshakeDurationMs\":12", "\"OriginTCPHandshakeDurationMs\":1e400");
    rows += &row("1", "2026-11-22T12:24:07.100Z", "0000-01-01T00:00:00Z");
    rows += &row("2", "2026-11-22T12:24:07.160Z", "9999-12-31T23:59:59.999999999Z");
    rows += &row("3", "{", "{\"EdgeResponseStatus\":200,\"RayID\":\"ffffffffffffffff\",");
    rows += &row("4", "\"EdgeResponseStatus\":520", "\"EdgeResponseStatus\":520,\"EdgeResponseStatus\":520");
    rows += "{\"RayID\":\"9e0ad402c9afa705\"\n{\n[[[[\n\0\0\0\n\"\n{}\n[]\nnull\n";
    fs::write(site.file("logs/edge.ndjson"), &rows).unwrap();
    let log = "192.0.2.1 - - [22/Nov/0000:12:25:00 +0000] \"GET / HTTP/1.1\" 99999 99999999999999999999999999 \"-\" \"x\"\n\
        192.0.2.1 - - [31/Dec/9999:23:59:60 +9999] \"\" 000 - \"\" \"\"\n\
        192.0.2.1 - - [22/Nov/2026:12:24:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"x\"\n";
    let mut access = site.read("logs/access.log");
    access += log;
    fs::write(site.file("logs/access.log"), access).unwrap();
    bounded(site.path(), &["analyze", "logs", "-o", "r.csv", "-o", "r.json", "-o", "r.parquet"], KILOBYTES, 60).ended(0).says(&["520"]);
    let report = site.read("r.csv");
    for digit in ["a", "b", "e", "f", "1", "2", "3", "4"] {
        assert!(report.contains(&format!("{}{digit}", &RAY[..15])), "row {digit} is lost:\n{report}");
    }
    // Deeper than any Logpush row: rejected, counted and named, or read.
    let json = site.read("r.json");
    for digit in ["c", "d"] {
        assert!(report.contains(&format!("{}{digit}", &RAY[..15])) || json.contains("nested"), "row {digit} is neither read nor rejected");
    }
}

/// The same ray again and again is one request; the same ray of another zone is another.
#[test]
fn repeated_rays_and_rays_of_two_zones() {
    let site = Site::new();
    let rows = crate::support::edge();
    let failing = rows.lines().find(|l| l.contains(RAY)).unwrap().to_owned() + "\n";
    let elsewhere =
        failing.replace("shop.example.com", "other.example.org").replace("12:24:07", "12:25:07").replace("/page/33", "/elsewhere");
    fs::write(site.file("logs/edge.ndjson"), rows + &failing.repeat(20_000) + &elsewhere.repeat(3)).unwrap();
    bounded(site.path(), &["analyze", "logs", "-o", "r.csv"], KILOBYTES, 60).ended(0).says(&["520"]);
    let report = site.read("r.csv");
    let of_ray: Vec<&str> = report.lines().filter(|l| l.starts_with(RAY)).collect();
    assert_eq!(of_ray.len(), 2, "{report}");
    assert!(of_ray[1].contains("other.example.org"), "{report}");
}

/// Logs of binary rubbish, of one byte, of line breaks only.
#[test]
fn rubbish() {
    let site = Site::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut noise: Vec<u8> = (0..300_000)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect();
    fs::write(site.file("logs/noise.log"), &noise).unwrap();
    noise.splice(0..0, crate::support::access().into_bytes());
    fs::write(site.file("logs/half.log"), &noise).unwrap();
    fs::write(site.file("logs/lines.log"), "\n".repeat(500_000)).unwrap();
    fs::write(site.file("logs/one.log"), "x").unwrap();
    let ran = run(site.path(), &["analyze", "logs"]).ended(0).says(&["520"]);
    harmless(&ran.stdout);
}

/// A storm of lines with a meaning: with little memory fewer of them are kept as evidence, which is said, and every request
/// is in the report with the same cause, however many threads there are.
#[test]
fn little_memory_thins_evidence_and_loses_no_request() {
    let site = Site::new();
    let storm: String = (0..40)
        .flat_map(|second| (0..400).map(move |i| (second, i)))
        .map(|(second, i)| {
            format!(
                "2026/11/22 12:{:02}:{:02} [error] 4242#4242: *{i} connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.7, server: s, request: \"GET /other/{second}/{i} HTTP/1.1\", upstream: \"http://127.0.0.1:9/\", host: \"h\"\n",
                23 + second / 60,
                second % 60
            )
        })
        .collect();
    fs::write(site.file("logs/error.log"), storm + &site.read("logs/error.log")).unwrap();
    site.run(&["analyze", "logs", "-o", "all.csv"]).ended(0);
    let few = site.run(&["analyze", "logs", "-o", "few.csv", "-j", "1", "--max-memory", "4M"]).ended(0);
    let folded: String = few.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(folded.contains("thinned to fit --max-memory") && folded.contains("no request was left out"), "{folded}");
    site.run(&["analyze", "logs", "-o", "four.csv", "-j", "4", "--max-memory", "4M", "-q"]).ended(0);
    assert_eq!(site.read("few.csv"), site.read("four.csv"));
    assert_eq!(site.read("few.csv"), site.read("all.csv"), "the verdict rests on lines that are kept");
}

/// Times at the ends of what 64 bits hold, of rows and of lines, each with each: nothing is computed beyond them, and what names
/// no time that can be is no time.
#[test]
fn times_at_the_ends_of_time() {
    const TIMES: [&str; 14] = [
        "null",
        "0",
        "-1",
        "1",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036",
        "4102444800000",
        "\"1677-09-21T00:12:44Z\"",
        "\"1970-01-01T00:00:00Z\"",
        "\"2099-12-31T23:59:59Z\"",
        "\"2262-04-11T23:47:16.854775807Z\"",
        "\"9999-12-31T23:59:59Z\"",
        "\"2026-11-22T12:24:07.000Z\"",
    ];
    const YEARS: [&str; 7] = ["0001", "1678", "1970", "2026", "2099", "2261", "9999"];
    let site = Site::new();
    let (mut edge, mut access, mut error) = (site.read("logs/edge.ndjson"), site.read("logs/access.log"), site.read("logs/error.log"));
    let each = TIMES.iter().flat_map(|start| TIMES.iter().map(move |end| (start, end)));
    for (i, ((start, end), status)) in each.flat_map(|pair| [520, 200, 521].map(|status| (pair, status))).enumerate() {
        let ray = format!("9e0ad403{i:08x}");
        edge.push_str(&format!(
            "{{\"RayID\":\"{ray}\",\"EdgeStartTimestamp\":{start},\"EdgeEndTimestamp\":{end},\"EdgeResponseStatus\":{status},\
             \"OriginResponseStatus\":{},\"ClientRequestHost\":\"shop.example.com\",\"ClientRequestMethod\":\"GET\",\
             \"ClientRequestURI\":\"/end/{i}\",\"ClientIP\":\"203.0.113.9\",\"EdgeColoCode\":\"FRA\",\"EdgeServerIP\":\"172.70.1.1\",\
             \"OriginIP\":\"192.0.2.10\",\"OriginTCPHandshakeDurationMs\":0,\"OriginTLSHandshakeDurationMs\":0,\
             \"OriginResponseDurationMs\":9223372036854775807}}\n",
            if status == 200 { 200 } else { 0 }
        ));
        let year = YEARS[i % YEARS.len()];
        if i % 3 > 0 {
            access.push_str(&format!(
                "172.70.1.1 - - [22/Nov/{year}:12:24:07 +0000] \"GET /end/{i} HTTP/1.1\" 444 0 \"-\" \"curl/8\" {ray}-FRA\n"
            ));
        }
        error.push_str(&format!("{year}/11/22 12:24:07 [alert] 811#811: worker process {} exited on signal 11\n", 5000 + i));
    }
    // Alone in its episode, and at its end before its start.
    edge.push_str(
        &site
            .read("logs/edge.ndjson")
            .lines()
            .find(|line| line.contains(crate::support::RAY))
            .unwrap()
            .replace("9e0ad402c9afa70a", "9e0ad402c9bfffff")
            .replace("T12:24:07.100Z", "T12:40:00Z")
            .replace("T12:24:07.160Z", "T12:30:00Z"),
    );
    edge.push('\n');
    for (name, text) in [("edge.ndjson", edge), ("access.log", access), ("error.log", error)] {
        fs::write(site.file("logs").join(name), text).unwrap();
    }
    for zone in ["Europe/Berlin", "UTC"] {
        site.run(&["analyze", "logs", "--tz", zone, "-q", "-o", "r.json", "-o", "r.html", "-o", "r.csv"]).ended(0);
    }
    site.run(&["analyze", "logs", "-q", "-o", "r.json", "-o", "r.html", "-o", "r.csv"]).ended(0);
    let rows = site.read("r.csv");
    assert_eq!(rows.lines().filter(|line| line.contains("/end/")).count(), TIMES.len() * TIMES.len());
    let timeless = rows.lines().filter(|line| line.contains("/end/") && line.split(',').nth(1) == Some("")).count();
    let own = rows.lines().find(|line| line.contains(crate::support::RAY)).unwrap();
    assert!(own.contains("worker-crash"), "{own}");
    assert!(rows.contains("9e0ad402c9bfffff,2026-11-22T12:40:00.000Z,2026-11-22T12:30:00.000Z"), "{rows}");
    assert!(timeless > TIMES.len() && !rows.contains("1677-") && !rows.contains("2262-"), "{timeless}");
}
