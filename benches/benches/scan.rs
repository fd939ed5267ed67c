//! The two passes over bytes: Cloudflare rows to facts and incidents, origin logs to events.
#![allow(clippy::expect_used)]

use cfray_benches::generate::{Layout, Plan, Spec, edge_rows, write_set};
use cfray_ingest::edge::{EdgeFormat, EdgePart, EdgeScanner, detect, finalize};
use cfray_ingest::{Input, NoProgress, Options, discover, scan_edge, scan_origin};
use cfray_model::{EdgeFilter, IncidentIndex, SourceId};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tempfile::TempDir;

const ROWS: u64 = 40_000;

fn main() {
    divan::main();
}

fn plan(storm: bool) -> Plan {
    Plan::new(Spec { rows: ROWS, seed: 1, storm })
}

fn scan(rows: &[u8], format: &EdgeFormat) -> EdgePart {
    let mut scanner = EdgeScanner::new(&Options::default(), &EdgeFilter::default());
    scanner.feed(SourceId(0), format, 0, rows);
    scanner.finish()
}

/// One thread over rows in memory, without files: 0.3 % of them incidents, or all.
#[divan::bench(args = [false, true])]
fn edge_rows_in_memory(bencher: Bencher<'_, '_>, storm: bool) {
    let plan = plan(storm);
    let rows = edge_rows(&plan, 0..ROWS);
    let format = detect(&rows, &Options::default()).expect("Logpush rows");
    let found = finalize(scan(&rows, &format));
    assert_eq!(found.counters.rows, ROWS);
    assert_eq!(found.counters.rejected, 0);
    assert_eq!(found.incidents.len(), plan.failing(0..ROWS).count());
    bencher.counter(BytesCount::new(rows.len())).counter(ItemsCount::new(ROWS)).bench(|| scan(divan::black_box(&rows), &format).rows());
}

/// Order, duplicates and counters after the rows are read.
#[divan::bench(args = [false, true])]
fn edge_finalize(bencher: Bencher<'_, '_>, storm: bool) {
    let rows = edge_rows(&plan(storm), 0..ROWS);
    let part = scan(&rows, &detect(&rows, &Options::default()).expect("Logpush rows"));
    assert_eq!(part.rows(), ROWS);
    bencher.counter(ItemsCount::new(ROWS)).with_inputs(|| part.clone()).bench_values(|part| finalize(part).facts.len());
}

fn files(gzip: bool) -> (TempDir, Plan, u64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let plan = plan(false);
    let layout = Layout { out: dir.path().to_owned(), gzip, rows_per_file: ROWS / 4, pipe: false };
    let written = write_set(&plan, &layout, &mut std::io::sink()).expect("room for a small set");
    (dir, plan, written.edge)
}

/// Four files, all cores: plain, or gzip (bytes are those after inflating).
#[divan::bench(args = [false, true])]
fn edge_files(bencher: Bencher<'_, '_>, gzip: bool) {
    let (dir, plan, bytes) = files(gzip);
    let options = Options::default();
    let found = discover(&[Input::Path(dir.path().join("logs"))], &options);
    let run = || scan_edge(&found, &EdgeFilter::default(), &options, &NoProgress).incidents.len();
    assert_eq!(run(), plan.failing(0..ROWS).count());
    bencher.counter(BytesCount::new(bytes)).bench(run);
}

/// Three origin logs, one thread: with nothing wanted from them, and with the rays of all incidents wanted.
#[divan::bench(args = [false, true])]
fn origin_files(bencher: Bencher<'_, '_>, wanted: bool) {
    let (dir, ..) = files(false);
    let options = Options { threads: 1, ..Options::default() };
    let found = discover(&[Input::Path(dir.path().join("logs"))], &options);
    let index = if wanted { scan_edge(&found, &EdgeFilter::default(), &options, &NoProgress).index() } else { IncidentIndex::default() };
    let bytes: u64 = found.sources.iter().filter(|s| !s.format.starts_with("cloudflare")).map(|s| s.bytes).sum();
    let scan = scan_origin(&found, index.clone(), &options, &NoProgress);
    assert_eq!(scan.sources.len(), 3);
    assert_eq!(scan.sources.iter().map(|s| s.rejected).sum::<u64>(), 0);
    bencher.counter(BytesCount::new(bytes)).bench(|| scan_origin(&found, index.clone(), &options, &NoProgress).sources.len());
}
