//! Every web-server line of the shared recordings and corpora is read, or the rejection is one of
//! those that are explained here. Skipped where the directory is not there (a fresh clone).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use cfray_formats::{Sample, detect};
use cfray_model::{LineKind, Stack};
use std::io::Read;
use std::path::{Path, PathBuf};

fn shared() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    dir.is_dir().then_some(dir)
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// Format, records read, rejected ones, and how many carry a ray.
struct Outcome {
    format: &'static str,
    why: String,
    read: usize,
    rejected: Vec<String>,
    rays: usize,
    kinds: Vec<(LineKind, Stack)>,
    raw: usize,
}

fn outcome(path: &Path) -> Outcome {
    let bytes = read(path);
    let found = detect(&Sample::from_bytes(&bytes)).unwrap_or_else(|| panic!("{} not recognised", path.display()));
    let mut out =
        Outcome { format: found.parser.format(), why: found.why, read: 0, rejected: Vec::new(), rays: 0, kinds: Vec::new(), raw: 0 };
    // All lines, not only those of a sample.
    let lines: Vec<&[u8]> = bytes.split(|&b| b == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l)).collect();
    let whole = Sample { lines: lines.into_iter().filter(|l| !l.is_empty()).collect() };
    for record in whole.records(&*found.parser) {
        match found.parser.parse(&record) {
            Ok(line) => {
                out.read += 1;
                out.rays += usize::from(line.ray.is_some());
                out.raw += usize::from(line.raw_text);
                if !out.kinds.contains(&(line.kind, line.stack)) {
                    out.kinds.push((line.kind, line.stack));
                }
            }
            Err(e) => out.rejected.push(format!("{e}: {}", String::from_utf8_lossy(&record))),
        }
    }
    out
}

#[test]
fn recordings() {
    let Some(shared) = shared() else { return };
    for (file, format, least, rays) in [
        ("client-blocked-nginx-ray/logs/nginx/access.log", "nginx-access", 1559, true),
        ("pool-exhausted-fpm-ray/logs/nginx/access.log", "nginx-access", 1431, true),
        ("pool-exhausted-fpm-ray/logs/nginx/access.log.1", "nginx-access", 1, true),
        ("control-no-520/logs/nginx/access.log", "nginx-access", 1382, false),
        ("headers-too-large-nginx/logs/nginx/access.log", "nginx-access", 1058, false),
        ("edge-ip-blocked-nginx/logs/nginx/access.log", "nginx-access", 1122, false),
        ("worker-crash-nginx-realip/logs/nginx/access.log", "nginx-access", 1126, false),
        ("keepalive-race-nginx-json/logs/nginx/access.log", "json-access", 1011, true),
        ("client-blocked-nginx-ray/logs/nginx/error.log", "nginx-error", 101, false),
        ("control-no-520/logs/nginx/error.log", "nginx-error", 88, false),
        ("headers-too-large-nginx/logs/nginx/error.log", "nginx-error", 95, false),
        ("worker-crash-nginx-realip/logs/nginx/error.log", "nginx-error", 67, false),
        ("pool-exhausted-fpm-ray/logs/nginx/error.log", "nginx-error", 184, false),
    ] {
        let out = outcome(&shared.join("recordings").join(file));
        assert_eq!(out.format, format, "{file}: {}", out.why);
        assert_eq!(out.rejected, Vec::<String>::new(), "{file}");
        assert!(out.read >= least, "{file}: {} records", out.read);
        assert_eq!(out.rays > 0, rays, "{file}: {}", out.why);
        if rays {
            assert!(out.rays * 10 >= out.read * 9, "{file}: {} rays in {} lines", out.rays, out.read);
        }
    }
}

#[test]
fn corpora() {
    let Some(shared) = shared() else { return };
    let apache = "linuxfabrik/check-plugins/apache-httpd-logfile/unit-test/fixtures";
    for (file, format, rejected) in [
        ("extracted/apache-error-ipa.log".to_owned(), "apache-error", 0),
        ("extracted/nginx-error-upstream-public.log".to_owned(), "nginx-error", 0),
        // Access and error lines of one server in one file.
        ("extracted/datadog-nginx-samples.log".to_owned(), "nginx-access", 0),
        ("lnav/test/logfile_access_log.0".to_owned(), "nginx-access", 0),
        ("lnav/test/logfile_bad_access_log.0".to_owned(), "nginx-access", 0),
        ("lnav/test/logfile_shop_access_log.0".to_owned(), "nginx-access", 0),
        ("lnav/test/logfile_caddy_log.1".to_owned(), "json-access", 0),
        (format!("{apache}/rocky8-busy-server.txt"), "apache-error", 0),
        (format!("{apache}/rocky8-php-fpm-backend.txt"), "apache-error", 0),
        (format!("{apache}/rocky9-busy-server.txt"), "apache-error", 0),
        (format!("{apache}/rocky9-scanned.txt"), "apache-error", 0),
    ] {
        let out = outcome(&shared.join("corpora").join(&file));
        assert_eq!(out.format, format, "{file}: {}", out.why);
        assert_eq!(out.rejected.len(), rejected, "{file}: {:?}", out.rejected);
    }
}

/// `cargo test -p cfray-formats --test shared_logs -- --ignored --nocapture` lists every file.
#[test]
#[ignore = "a listing for people"]
fn list() {
    let Some(shared) = shared() else { return };
    let mut dirs = vec![shared.join("recordings"), shared.join("corpora")];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_none_or(|e| e != "gz") {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let bytes = read(&path);
        let name = path.strip_prefix(&shared).unwrap().display().to_string();
        if detect(&Sample::from_bytes(&bytes)).is_none() {
            eprintln!("{name}: not recognised");
            continue;
        }
        let out = outcome(&path);
        eprintln!(
            "{name}: {} ({}); {} read, {} rejected, {} with ray, {} raw, {:?}",
            out.format,
            out.why,
            out.read,
            out.rejected.len(),
            out.rays,
            out.raw,
            out.kinds
        );
        for text in out.rejected.iter().take(3) {
            eprintln!("    {}", text.chars().take(200).collect::<String>());
        }
    }
}
