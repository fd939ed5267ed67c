//! The whole edge pass, from files.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::scan_edge;
use crate::testing::{edge, gzip, look_with, put, tree};
use crate::{NoProgress, Options};
use cfray_model::{EdgeFilter, EdgeScan, FactFlags};
use std::path::Path;
use std::sync::Arc;

/// Scans a directory, with blocks of some size and some threads.
fn scan(dir: &Path, threads: usize, block: usize) -> EdgeScan {
    let options = Options { threads, block, ..Options::default() };
    scan_edge(&look_with(dir, &options), &EdgeFilter::default(), &options, &NoProgress)
}

/// Everything but the places.
fn gist(scan: &EdgeScan) -> String {
    let rows: Vec<_> = scan.incidents.iter().map(|r| (r.ray, r.start, &r.uri, r.edge_status)).collect();
    format!("{rows:?}\n{:?}\n{:?}\n{:?}", scan.facts, scan.combos, scan.counters.by_status)
}

fn failing(n: usize) -> String {
    edge(n)
        .lines()
        .enumerate()
        .map(|(i, l)| format!("{}\n", if i % 7 == 0 { l.replace("Status\":200", "Status\":520") } else { l.to_owned() }))
        .collect()
}

#[test]
fn threads_blocks_and_compression_change_nothing() {
    let text = failing(900);
    let broken = format!("{text}{}\n{{\"broken\n", "x".repeat(50));
    let dir = tree(&[
        ("a.log", &broken),
        ("b/b.log.gz", &text.replace("9e0ad402", "9e0ad403")),
        ("c.log", &text[..text.len() - 1].replace("9e0ad402", "9e0ad404")),
    ]);
    let one = scan(dir.path(), 1, 1 << 20);
    assert_eq!(one.counters.rows, 2700);
    assert_eq!(one.incidents.len(), 3 * 129);
    assert_eq!(one.rejects.iter().map(|r| (r.at.source.0, r.at.line)).collect::<Vec<_>>(), [(0, 901), (0, 902)]);
    for (threads, block) in [(2, 4096), (4, 700), (1, 100)] {
        let other = scan(dir.path(), threads, block);
        assert_eq!(format!("{one:?}"), format!("{other:?}"), "{threads} threads, blocks of {block}");
    }
    // Lines are numbered as in the file.
    for row in one.incidents.iter().filter(|r| r.at.source.0 == 0) {
        let line = broken.lines().nth(row.at.line as usize - 1).unwrap();
        assert!(line.contains(&row.ray.unwrap().to_string()));
        assert!(broken[row.at.offset as usize..].starts_with(line));
    }
}

#[test]
fn facts_outside_of_memory_are_the_same() {
    let text = failing(900);
    // The second file repeats rows of the first: duplicates lie in pages of different threads.
    let dir = tree(&[("a.log", &text), ("b.log", &text[..text.len() / 2]), ("c.log", &text.replace("9e0ad402", "9e0ad404"))]);
    let with = |threads, facts_in_memory, temp_dir| {
        let options = Options { threads, block: 4096, facts_in_memory, temp_dir, ..Options::default() };
        scan_edge(&look_with(dir.path(), &options), &EdgeFilter::default(), &options, &NoProgress)
    };
    let expected = with(1, 64 << 20, None);
    assert!(!expected.facts.is_stored() && expected.counters.duplicates > 400);
    for threads in [1, 2, 5] {
        for in_memory in [0, 20_000] {
            let scan = with(threads, in_memory, None);
            assert!(scan.facts.is_stored());
            assert_eq!(format!("{expected:?}"), format!("{scan:?}"), "{threads} threads, {in_memory} bytes in memory");
        }
    }
    // A directory that takes nothing is named, and all else is as before.
    let mut scan = with(2, 0, Some("/nowhere/at/all".into()));
    let problems = std::mem::take(&mut scan.problems);
    assert!(problems.len() == 1 && problems[0].contains("/nowhere/at/all") && problems[0].contains("stay in memory"), "{problems:?}");
    assert!(!scan.facts.is_stored());
    assert_eq!(format!("{expected:?}"), format!("{scan:?}"));
}

#[test]
fn slices_hold_the_same_incidents() {
    let text = failing(900);
    let dir = tree(&[("a.log", &text), ("b.log", &text[..text.len() / 2]), ("c.log", &text.replace("9e0ad402", "9e0ad404"))]);
    let with = |threads, incidents_at_once| {
        let options = Options { threads, block: 4096, incidents_at_once, ..Options::default() };
        scan_edge(&look_with(dir.path(), &options), &EdgeFilter::default(), &options, &NoProgress)
    };
    let whole = with(1, 1000);
    assert!(whole.slices.is_empty() && whole.incidents.len() == 258);
    for threads in [1, 3] {
        let cut = with(threads, 60);
        assert!(cut.incidents.is_empty() && cut.slices.len() == 4, "{}", cut.slices.len());
        let slices: Vec<EdgeScan> = (0..cut.slices.len())
            .map(|n| {
                let mut incidents = cut.slices[n].rows.read(0..usize::MAX);
                incidents.sort_unstable_by_key(cfray_model::EdgeRow::order);
                cut.slice(n, incidents, &Arc::default())
            })
            .collect();
        let incidents: Vec<_> = slices.iter().flat_map(|s| s.incidents.clone()).collect();
        assert_eq!(format!("{:?}", whole.incidents), format!("{incidents:?}"));
        assert_eq!((&whole.facts, format!("{:?}", whole.counters)), (&cut.facts, format!("{:?}", cut.counters)));
        for slice in slices {
            // Every incident finds its fact.
            let own = slice.incidents.iter().filter(|i| slice.facts.iter().any(|f| f.ray() == i.ray && f.start() == i.start)).count();
            assert_eq!(own, slice.incidents.len());
        }
    }
}

#[test]
fn every_form_of_the_same_rows_gives_the_same_scan() {
    let text = failing(300);
    let lines = tree(&[("edge.log", &text)]);
    let expected = gist(&scan(lines.path(), 2, 4096));

    let wrapped = format!("{{\"success\": true, \"result\": [\n{}\n]}}\n", text.trim_end().replace('\n', ",\n"));
    let lower = text.replace("ClientRequestURI", "clientrequesturi").replace("EdgeResponseStatus", "edgeresponsestatus");
    let keys = [
        "ClientIP",
        "ClientRequestHost",
        "ClientRequestMethod",
        "ClientRequestURI",
        "EdgeResponseStatus",
        "EdgeStartTimestamp",
        "OriginResponseStatus",
        "RayID",
    ];
    let mut csv = keys.join(",") + "\n";
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        csv += &(keys.map(|k| row[k].to_string()).join(",") + "\n");
    }
    for (name, text) in [("wrapped.json", &wrapped), ("lower.log", &lower), ("edge.csv", &csv)] {
        let dir = tree(&[(name, text)]);
        for block in [600, 1 << 20] {
            let scan = scan(dir.path(), 2, block);
            assert_eq!(gist(&scan), expected, "{name}");
            assert_eq!(scan.counters.rejected, 0, "{name}: {:?}", scan.rejects);
        }
    }
}

#[test]
fn the_same_rows_twice_are_one() {
    let text = failing(50);
    let dir = tree(&[("a.log", &text), ("b.log", &format!("{text}{}", edge(60).lines().last().unwrap()))]);
    let scan = scan(dir.path(), 2, 4096);
    assert_eq!((scan.counters.rows, scan.counters.duplicates), (51, 50));
    assert!(scan.incidents.iter().all(|r| r.at.source.0 == 0));
    assert_eq!(scan.facts.iter().filter(|f| f.flags.has(FactFlags::INCIDENT)).count(), scan.incidents.len());
}

#[test]
fn what_cannot_be_read_is_a_problem_and_the_rest_is_kept() {
    let dir = tree(&[("a.log", &failing(40))]);
    let whole = gzip(failing(4000).replace("9e0ad402", "9e0ad403").as_bytes());
    put(dir.path(), "b.bin", &whole[..whole.len() / 2]);
    let long = format!("{}{{\"RayID\":\"{}\"}}\n{}", edge(3), "x".repeat(5000), edge(6).lines().skip(3).collect::<Vec<_>>().join("\n"))
        .replace("9e0ad402", "9e0ad405");
    put(dir.path(), "c.log", long.as_bytes());
    let options = Options { threads: 2, max_line: 2000, block: 1024, ..Options::default() };
    let scan = scan_edge(&look_with(dir.path(), &options), &EdgeFilter::default(), &options, &NoProgress);
    assert!(scan.counters.rows > 500);
    assert_eq!(scan.problems.len(), 1, "{:?}", scan.problems);
    assert!(scan.problems[0].contains("b.bin: gzip data ends early"));
    let told = scan.rejects.iter().find(|r| r.reason.contains("too long")).unwrap();
    assert_eq!(told.at.line, 4);
}

#[test]
fn recordings_are_read_without_a_rejected_line() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/recordings"));
    let Ok(entries) = root.read_dir() else { return };
    for folder in entries.flatten().map(|e| e.path()).filter(|p| p.join("truth.csv").exists()) {
        let scan = scan(&folder.join("logs"), 2, 1 << 16);
        let truth = std::fs::read_to_string(folder.join("truth.csv")).unwrap();
        let mut expected: Vec<&str> =
            truth.lines().skip(1).filter(|l| l.split(',').nth(1) == Some("520")).filter_map(|l| l.split(',').next()).collect();
        expected.sort_unstable();
        let mut found: Vec<String> = scan.incidents.iter().filter_map(|r| Some(r.ray?.to_string())).collect();
        found.sort();
        assert_eq!(found, expected, "{}", folder.display());
        assert_eq!((scan.counters.rejected, scan.counters.duplicates), (0, 0), "{}", folder.display());
        assert_eq!(scan.problems, Vec::<String>::new());
    }
}
