//! Floors under the accuracy on the committed recordings (`tests/recordings`, cut from recordings of the lab)
//! and on the stories of `sample-logs/`. The figures are those of `lab score`, computed by the same code.

use crate::support::run;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

// The lab reads more of it than is needed here.
#[allow(dead_code)]
#[path = "../../../../lab/src/score/figures.rs"]
mod figures;

use figures::{Verdict, figures, is_quoted, is_right, scenario_of};

/// Figures that must not fall below these, or rise above the last one. A change that lowers one is a change for the
/// worse, unless docs/accuracy.md says why.
const FLOORS: &[(&str, f64)] = &[
    ("found", 1.0),
    ("accuracy", 0.985),
    ("accuracy-scenarios", 0.97),
    ("macro-f1", 0.98),
    ("macro-f1-families", 0.98),
    ("quoted", 0.975),
    ("cannot-tell", 0.99),
];
const MOST_INVENTED: f64 = 0.0;

fn manifest(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Folders in a directory that hold a file of this name.
fn folders(dir: &Path, file: &str) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join(file).exists())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    found.sort();
    found
}

/// The verdicts on one folder's logs against its truth, and how many 520s the report made up.
fn score(name: &str, logs: &Path, truth: &Path, verdicts: &mut Vec<Verdict>) -> usize {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["analyze", logs.to_str().unwrap(), "-q", "-o", "out.csv"]).ended(0);
    let mut table = csv::Reader::from_path(dir.path().join("out.csv")).unwrap();
    let mut said: BTreeMap<String, BTreeMap<String, String>> = table
        .deserialize()
        .map(|row: Result<BTreeMap<String, String>, csv::Error>| row.unwrap())
        .map(|row| (row["ray_id"].clone(), row))
        .collect();
    for record in csv::Reader::from_path(truth).unwrap().deserialize() {
        let record: BTreeMap<String, String> = record.unwrap();
        let cell = |n: &str| record.get(n).map_or("", String::as_str);
        let row = said.remove(cell("ray_id"));
        let of = |n: &str| row.as_ref().map(|r| r[n].as_str());
        verdicts.push(Verdict {
            recording: name.to_owned(),
            scenario: scenario_of(name),
            truth: cell("cause").to_owned(),
            right: is_right(of("cause"), cell("cause"), cell("accept")),
            confidence: of("confidence").map_or(0.0, |c| c.parse().unwrap()),
            raw: 0.0,
            group: String::new(),
            quoted: is_quoted(of("evidence"), cell("evidence_substring")),
            said: of("cause").map(ToOwned::to_owned),
        });
    }
    said.len()
}

#[test]
fn no_figure_falls_under_its_floor() {
    let (mut verdicts, mut invented) = (Vec::new(), 0);
    let recordings = folders(&manifest("tests/recordings"), "truth.csv");
    assert!(recordings.len() >= 16, "{recordings:?}");
    for (name, path) in &recordings {
        invented += score(name, &path.join("logs"), &path.join("truth.csv"), &mut verdicts);
    }
    for (name, path) in folders(&manifest("../../sample-logs"), "expected.csv") {
        invented += score(&name, &path, &path.join("expected.csv"), &mut verdicts);
    }
    let got = figures(&verdicts, invented);
    let mut low: Vec<String> = FLOORS
        .iter()
        .filter(|(name, floor)| got[name] < *floor)
        .map(|(name, floor)| format!("{name}: {:.4}, floor {floor}", got[name]))
        .collect();
    if got["invented"] > MOST_INVENTED {
        low.push(format!("{} 520s invented", got["invented"]));
    }
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    for v in verdicts.iter().filter(|v| !v.right) {
        *wrong.entry(format!("{}: {} said to be {}", v.recording, v.truth, figures::answer(v))).or_default() += 1;
    }
    assert!(low.is_empty(), "{}\nwrong:\n{wrong:#?}\nall figures: {got:#?}", low.join("\n"));
}

#[test]
fn the_recordings_hold_every_cause_and_both_kinds_of_control() {
    let mut causes: BTreeMap<String, usize> = BTreeMap::new();
    let mut empty = 0;
    for (_, path) in folders(&manifest("tests/recordings"), "truth.csv") {
        let before = causes.values().sum::<usize>();
        for record in csv::Reader::from_path(path.join("truth.csv")).unwrap().deserialize() {
            let record: BTreeMap<String, String> = record.unwrap();
            *causes.entry(record["cause"].clone()).or_default() += 1;
        }
        empty += usize::from(causes.values().sum::<usize>() == before);
    }
    let missing: Vec<&str> = figures::CAUSES.iter().map(|(c, _)| *c).filter(|c| !causes.contains_key(*c)).collect();
    assert!(missing.is_empty(), "no committed recording of {missing:?}");
    assert!(empty >= 1, "no recording without a 520");
}
