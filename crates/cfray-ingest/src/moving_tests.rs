//! Files that change while they are read, at moments that a hook chooses: no test here waits for luck.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::testing::{access, edge, look_with, put, tree};
use crate::{MmapPolicy, Options, Progress, scan_edge, scan_origin};
use cfray_model::{EdgeFilter, IncidentIndex};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Acts once, when so many bytes have been read.
struct At<F> {
    bytes: u64,
    seen: AtomicU64,
    act: F,
}

impl<F: Fn() + Sync> Progress for At<F> {
    fn total(&self, _bytes: u64) {}
    fn advance(&self, bytes: u64) {
        let before = self.seen.fetch_add(bytes, Ordering::SeqCst);
        if before < self.bytes && before + bytes >= self.bytes {
            (self.act)();
        }
    }
    fn phase(&self, _name: &str) {}
}

/// Rows in a file of this many.
const ROWS: usize = 4000;

fn options(mmap: MmapPolicy) -> Options {
    Options { mmap, threads: 1, block: 4096, ..Options::default() }
}

/// Scans `edge.ndjson` of the directory and does something to it in the middle; gives rows and problems.
fn scan(dir: &Path, mmap: MmapPolicy, act: impl Fn() + Sync) -> (u64, Vec<String>) {
    let options = options(mmap);
    let found = look_with(dir, &options);
    assert_eq!(found.edge().count(), 1);
    let hook = At { bytes: 300_000, seen: AtomicU64::new(0), act };
    let scan = scan_edge(&found, &EdgeFilter::default(), &options, &hook);
    assert!(hook.seen.load(Ordering::SeqCst) >= 300_000, "nothing was done to the file");
    (scan.counters.rows + scan.counters.rejected, scan.problems)
}

#[test]
fn a_file_that_is_truncated_under_the_scan() {
    for mmap in [MmapPolicy::Auto, MmapPolicy::Never] {
        for left in [0, 100_000, 320_000] {
            let dir = tree(&[("edge.ndjson", &edge(ROWS))]);
            let path = dir.path().join("edge.ndjson");
            let cut = || OpenOptions::new().write(true).open(&path).unwrap().set_len(left).unwrap();
            let (rows, problems) = scan(dir.path(), mmap, cut);
            assert!((1000..ROWS as u64).contains(&rows), "{mmap:?} {left}: {rows}");
            assert!(problems.len() == 1 && problems[0].contains("became shorter while it was read"), "{problems:?}");
        }
    }
}

/// copytruncate, and the writer goes on at its old place: a hole of NUL bytes where the rows were.
#[test]
fn a_file_that_is_truncated_and_written_on() {
    for mmap in [MmapPolicy::Auto, MmapPolicy::Never] {
        let dir = tree(&[("edge.ndjson", &edge(ROWS))]);
        let path = dir.path().join("edge.ndjson");
        let len = path.metadata().unwrap().len();
        let (rows, problems) = scan(dir.path(), mmap, || {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(0).unwrap();
            file.set_len(len + 10_000).unwrap();
        });
        assert!((1000..ROWS as u64).contains(&rows), "{rows}");
        assert!(problems.is_empty(), "{problems:?}");
    }
}

#[test]
fn a_file_that_grows_is_read_to_the_length_at_the_start() {
    for mmap in [MmapPolicy::Auto, MmapPolicy::Never] {
        let dir = tree(&[("edge.ndjson", &edge(ROWS))]);
        let path = dir.path().join("edge.ndjson");
        let more = edge(2 * ROWS).replace("9e0ad402", "9e0ad403");
        let (rows, problems) =
            scan(dir.path(), mmap, || OpenOptions::new().append(true).open(&path).unwrap().write_all(more.as_bytes()).unwrap());
        assert_eq!((rows, problems), (ROWS as u64, Vec::new()));
    }
}

/// Renamed and begun anew (rotation), removed, or replaced by something that is no file: the open file is read on.
#[test]
fn a_file_that_moves_away_under_the_scan() {
    let dir = tree(&[("edge.ndjson", &edge(ROWS))]);
    let path = dir.path().join("edge.ndjson");
    let (rows, problems) = scan(dir.path(), MmapPolicy::Auto, || {
        std::fs::rename(&path, dir.path().join("edge.ndjson.1")).unwrap();
        std::fs::write(&path, edge(3)).unwrap();
    });
    assert_eq!((rows, problems), (ROWS as u64, Vec::new()));
    let dir = tree(&[("edge.ndjson", &edge(ROWS))]);
    let path = dir.path().join("edge.ndjson");
    let (rows, problems) = scan(dir.path(), MmapPolicy::Auto, || std::fs::remove_file(&path).unwrap());
    assert_eq!((rows, problems), (ROWS as u64, Vec::new()));
}

/// Permissions taken away in the middle: the open file is read on. Before it is opened: named, unless root reads it.
#[cfg(unix)]
#[test]
fn permissions_that_change_under_the_scan() {
    use std::os::unix::fs::PermissionsExt;
    let forbid = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o0)).unwrap();
    let dir = tree(&[("edge.ndjson", &edge(ROWS))]);
    let (rows, problems) = scan(dir.path(), MmapPolicy::Auto, || forbid(&dir.path().join("edge.ndjson")));
    assert_eq!((rows, problems), (ROWS as u64, Vec::new()));
    let dir = tree(&[("edge.ndjson", &edge(50)), ("access.log", &access(300))]);
    let options = options(MmapPolicy::Auto);
    let found = look_with(dir.path(), &options);
    let path = dir.path().join("access.log");
    forbid(&path);
    let scan = scan_origin(&found, IncidentIndex::default(), &options, &crate::NoProgress);
    let (lines, told) = (scan.sources[0].lines, scan.sources[0].problems.join(" "));
    let may = std::fs::File::open(&path).is_ok();
    assert!(if may { lines == 300 && told.is_empty() } else { lines == 0 && told.contains("ermission") }, "{may} {lines} {told}");
}

/// Between discovery and the scan: gone, a directory, another file of the same name.
#[test]
fn a_file_that_is_gone_before_it_is_read() {
    let options = options(MmapPolicy::Auto);
    for how in 0..3 {
        let dir = tree(&[("edge.ndjson", &edge(50)), ("access.log", &access(300))]);
        let found = look_with(dir.path(), &options);
        let path = dir.path().join("access.log");
        std::fs::remove_file(&path).unwrap();
        match how {
            0 => {}
            1 => std::fs::create_dir(&path).unwrap(),
            _ => {
                put(dir.path(), "access.log.new", access(5).as_bytes());
                std::fs::rename(dir.path().join("access.log.new"), &path).unwrap();
            }
        }
        let scan = scan_origin(&found, IncidentIndex::default(), &options, &crate::NoProgress);
        assert_eq!(scan.sources.len(), 1);
        // A new file may get the old one's identity back from the file system; then its beginning is read.
        let told = scan.sources[0].problems.join(" ");
        assert!(!told.is_empty() || (how == 2 && scan.sources[0].lines == 5), "{how}: nothing was said");
    }
}
