//! Origin log lines to [`cfray_model::Line`]: how fast each format's parser is, once the format is known.
#![allow(clippy::expect_used)]

use cfray_benches::generate::{Plan, Spec, apache, origin};
use cfray_formats::{RecordParser, Sample};
use cfray_model::LineKind;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

const ROWS: u64 = 20_000;

fn main() {
    divan::main();
}

fn plan() -> Plan {
    Plan::new(Spec { rows: ROWS, seed: 1, storm: false })
}

/// The parser that detection chooses, which must be the expected one.
fn parser(log: &[u8], format: &str) -> Box<dyn RecordParser> {
    let found = cfray_formats::detect(&Sample::from_bytes(log)).expect("a known format");
    assert_eq!(found.parser.format(), format);
    found.parser
}

/// What the lines of a log say, summed up: lines read, access lines, statuses, bytes of messages.
fn read(parser: &dyn RecordParser, log: &[u8]) -> [u64; 4] {
    let mut sums = [0; 4];
    for record in log.split(|b| *b == b'\n').filter(|r| !r.is_empty()) {
        let Ok(line) = parser.parse(record) else { continue };
        sums[0] += 1;
        sums[1] += u64::from(line.kind == LineKind::Access);
        sums[2] += line.status.map_or(0, u64::from);
        sums[3] += line.message.len() as u64;
    }
    sums
}

fn lines(log: &[u8]) -> u64 {
    log.iter().filter(|b| **b == b'\n').count() as u64
}

fn measure(bencher: Bencher<'_, '_>, log: &[u8], parser: &dyn RecordParser, expected: [u64; 4]) {
    assert_eq!(read(parser, log), expected);
    bencher.counter(BytesCount::new(log.len())).counter(ItemsCount::new(expected[0])).bench(|| read(parser, divan::black_box(log)));
}

/// Sum of the statuses that were written: the yardstick for access logs.
fn statuses(plan: &Plan) -> u64 {
    let mut sum = 0;
    cfray_benches::generate::origin_rows(plan, 0..ROWS, |row| sum += row.logged_status);
    sum
}

#[divan::bench]
fn nginx_access(bencher: Bencher<'_, '_>) {
    let plan = plan();
    let log = origin::lines(&plan, 0..ROWS).access.bytes;
    let n = lines(&log);
    measure(bencher, &log, &*parser(&log, "nginx-access"), [n, n, statuses(&plan), 0]);
}

#[divan::bench]
fn nginx_error(bencher: Bencher<'_, '_>) {
    // A storm's error log is as long as its access log.
    let plan = Plan::new(Spec { rows: ROWS, seed: 1, storm: true });
    let log = origin::lines(&plan, 0..ROWS).error.bytes;
    let parser = parser(&log, "nginx-error");
    let messages = log.split(|b| *b == b'\n').filter_map(|r| parser.parse(r).ok()).map(|l| l.message.len() as u64).sum();
    measure(bencher, &log, &*parser, [lines(&log), 0, 0, messages]);
}

#[divan::bench]
fn apache_access(bencher: Bencher<'_, '_>) {
    let plan = plan();
    let log = apache::access(&plan, 0..ROWS);
    let n = lines(&log);
    measure(bencher, &log, &*parser(&log, "apache-access"), [n, n, statuses(&plan), 0]);
}

#[divan::bench]
fn apache_error(bencher: Bencher<'_, '_>) {
    let log = apache::error(&plan(), 0..ROWS);
    let parser = parser(&log, "apache-error");
    let messages = log.split(|b| *b == b'\n').filter_map(|r| parser.parse(r).ok()).map(|l| l.message.len() as u64).sum();
    measure(bencher, &log, &*parser, [lines(&log), 0, 0, messages]);
}

#[divan::bench]
fn detect_nginx_access(bencher: Bencher<'_, '_>) {
    let log = origin::lines(&plan(), 0..1_000).access.bytes;
    parser(&log, "nginx-access");
    bencher.bench(|| cfray_formats::detect(&Sample::from_bytes(divan::black_box(&log))).is_some());
}
