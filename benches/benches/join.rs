//! From two scans to a report: clocks, ties, populations, rules, ranking, episodes.
#![allow(clippy::expect_used)]

use cfray_benches::generate::{Layout, Plan, Spec, write_set};
use cfray_causes::{Part, Settings, analyze};
use cfray_ingest::{Input, NoProgress, Options, discover, scan_edge, scan_origin};
use cfray_model::report::Report;
use cfray_model::{EdgeFilter, EdgeScan, OriginScan, SourceInfo};
use divan::Bencher;
use divan::counter::ItemsCount;
use std::collections::BTreeMap;
use std::path::Path;

fn main() {
    divan::main();
}

/// Everything that stands before the join.
struct Scans {
    edge: EdgeScan,
    origin: OriginScan,
    sources: Vec<SourceInfo>,
    truth: BTreeMap<String, (String, String)>,
}

fn scans(rows: u64, storm: bool) -> Scans {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let plan = Plan::new(Spec { rows, seed: 1, storm });
    let layout = Layout { out: dir.path().to_owned(), gzip: false, rows_per_file: rows.div_ceil(4), pipe: false };
    write_set(&plan, &layout, &mut std::io::sink()).expect("room for a small set");
    let options = Options::default();
    let found = discover(&[Input::Path(dir.path().join("logs"))], &options);
    let edge = scan_edge(&found, &EdgeFilter::default(), &options, &NoProgress);
    let origin = scan_origin(&found, edge.index(), &options, &NoProgress);
    Scans { edge, origin, sources: found.sources, truth: truth(&dir.path().join("truth.csv")) }
}

/// By ray: the cause, and another that is right too.
fn truth(path: &Path) -> BTreeMap<String, (String, String)> {
    let text = std::fs::read_to_string(path).expect("truth.csv");
    let columns = |line: &str| {
        let mut columns = line.split(',').map(str::to_owned);
        Some((columns.next()?, (columns.nth(1)?, columns.next()?)))
    };
    text.lines().skip(1).filter_map(columns).collect()
}

fn parts(scans: &Scans) -> Vec<Part> {
    vec![Part { edge: scans.edge.clone(), origin: scans.origin.clone() }]
}

fn run(scans: &Scans, parts: Vec<Part>) -> Report {
    analyze(parts, &scans.sources, Vec::new(), &Settings::default())
}

/// Every 520 has a row, and the causes are those of the truth or, in at most `unsure` of 100 rows, something else.
fn check(scans: &Scans, unsure: usize) {
    let report = run(scans, parts(scans));
    assert_eq!(report.rows.len(), scans.truth.len());
    let mut missed: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in report.rows.iter() {
        let ray = row.edge.ray.expect("every generated row has a ray").to_string();
        let (cause, accept) = &scans.truth[&ray];
        let said = row.verdict.cause.name();
        if said != cause && said != accept {
            *missed.entry((cause.clone(), said.to_owned())).or_default() += 1;
        }
    }
    let all: usize = missed.values().sum();
    assert!(all * 100 <= unsure * report.rows.len(), "(truth, said) in {} rows: {missed:#?}", report.rows.len());
}

/// An everyday set: 0.3 % of the rows are incidents.
#[divan::bench]
fn everyday(bencher: Bencher<'_, '_>) {
    let scans = scans(100_000, false);
    check(&scans, 20);
    bencher
        .counter(ItemsCount::new(scans.edge.counters.rows))
        .with_inputs(|| parts(&scans))
        .bench_values(|parts| run(&scans, parts).rows.len());
}

/// A storm: every row is an incident, and there is nothing to compare with.
#[divan::bench(sample_count = 10)]
fn storm(bencher: Bencher<'_, '_>) {
    let scans = scans(20_000, true);
    let report = run(&scans, parts(&scans));
    assert_eq!(report.rows.len(), scans.truth.len());
    bencher.counter(ItemsCount::new(report.rows.len())).with_inputs(|| parts(&scans)).bench_values(|parts| run(&scans, parts).rows.len());
}
