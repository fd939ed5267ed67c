//! Work grows with the size of a file and not faster, whatever repeats in it. Counted in processor time of the thread, which
//! waiting and other programs do not change: eight times the bytes may take three times eight times as long; a loop within
//! a loop takes sixty-four times.
#![cfg(target_os = "linux")]

use cfray_formats::spec::Sample;
use cfray_formats::{FORMATS, RecordParser};
use cfray_ingest::Options;
use cfray_ingest::blocks::{Block, BlockReader, Split};
use cfray_ingest::edge::{EdgeFormat, EdgeKind, EdgeScanner, finalize};
use cfray_model::{EdgeFilter, SourceId};
use std::io::Cursor;

/// Nanoseconds that this thread has run.
fn ran() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

/// The least of two, in nanoseconds.
fn cost(work: impl Fn()) -> u64 {
    let once = || {
        let before = ran();
        work();
        ran() - before
    };
    (0..2).map(|_| once()).min().unwrap()
}

/// Times below this say more about the clock than about the work.
const FLOOR: u64 = 2_000_000;

#[track_caller]
fn linear(what: &str, make: impl Fn(usize) -> Vec<u8>, work: impl Fn(&[u8])) {
    let (small, large) = (make(5 << 10), make(40 << 10));
    assert!(large.len() > 7 * small.len());
    let one = cost(|| work(&small));
    let eight = cost(|| work(&large));
    assert!(eight < 24 * one.max(FLOOR / 8), "{what}: {one} ns for {} bytes, {eight} ns for {}", small.len(), large.len());
}

/// Cuts a file into records and reads them.
fn read(parser: &dyn RecordParser, bytes: &[u8]) {
    let mut reader = BlockReader::new(Box::new(Cursor::new(bytes.to_vec())), Split::Records(parser), &Options::default());
    let mut block = Block::default();
    while reader.next_block(&mut block) {
        for (i, &start) in block.starts.iter().enumerate() {
            let end = block.starts.get(i + 1).copied().unwrap_or(block.bytes().len());
            if let Ok(line) = parser.parse(&block.bytes()[start..end]) {
                let _ = (cfray_formats::signature(&line), cfray_formats::php_fault_file(&line.message));
            }
        }
    }
}

/// What opens, closes or separates something in one format or another.
const PIECES: [&str; 22] = [
    "\"",
    "\\",
    "\\\"",
    "[",
    "{\"a\":",
    " ",
    ",",
    ", client: ::1, server: s",
    "\" while reading ",
    ", referer: ",
    "PHP message: ",
    "\n#0 ",
    "\nStack trace:",
    "x\n",
    "\n",
    "(1)",
    "' (request: \"",
    "\") execution timed out (",
    "%0a",
    "; ",
    "--1a2b-H--\n",
    "[client 1.1.1.1] ",
];

#[test]
fn formats() {
    for format in FORMATS {
        let own: Vec<u8> = format.samples.iter().flat_map(|s| [s.as_bytes(), b"\n"].concat()).collect();
        let parser = (format.detect)(&Sample::from_bytes(&own)).unwrap().parser;
        let sample = format.samples[0];
        // In one record, behind its head; and the sample itself, line after line.
        let head: String = sample.chars().take(sample.len() * 2 / 3).collect();
        for piece in PIECES {
            let fill = |size: usize| [head.as_bytes(), piece.repeat(size / piece.len()).as_bytes()].concat();
            linear(&format!("{} {piece:?}", format.name), fill, |bytes| read(&*parser, bytes));
        }
        let lines = |size: usize| format!("{sample}\n").repeat(size / sample.len()).into_bytes();
        linear(format.name, lines, |bytes| read(&*parser, bytes));
    }
}

#[test]
fn edge_rows() {
    let kinds = [EdgeKind::Ndjson, EdgeKind::Document];
    for kind in kinds {
        let format = EdgeFormat { kind, why: String::new() };
        for piece in [
            "{\"RayID\":",
            "[",
            "[{",
            "{\"RayID\":\"1\",\"EdgeResponseStatus\":520}",
            "\"",
            "\\u",
            "{}\n",
            "{\n",
            ",",
            "\"a\":{\"b\":[",
            "1e9",
            "{\"Subrequests\":[",
        ] {
            let fill = |size: usize| [b"{\"EdgeResponseStatus\":520,\"x\":", piece.repeat(size / piece.len()).as_bytes()].concat();
            linear(&format!("{:?} {piece}", format.kind), fill, |bytes| {
                let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
                scanner.feed(SourceId(0), &format, 0, bytes);
                scanner.end(&format);
                let _ = finalize(scanner.finish());
            });
        }
    }
}

#[test]
fn csv_rows() {
    use cfray_ingest::edge::CsvColumns;
    let names = ["RayID", "EdgeResponseStatus", "ClientRequestURI"].map(str::to_owned).to_vec();
    let format = EdgeFormat { kind: EdgeKind::Csv(CsvColumns { delimiter: b',', names, header: false }), why: String::new() };
    for piece in ["\"", "\"\n", ",", "\n", "a,520,\"b\n", "\"\"\"", "a,520,c\n", "\r"] {
        linear(
            piece,
            |size| piece.repeat(size / piece.len()).into_bytes(),
            |bytes| {
                let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
                scanner.feed(SourceId(0), &format, 0, bytes);
                scanner.end(&format);
                let _ = finalize(scanner.finish());
            },
        );
    }
}
