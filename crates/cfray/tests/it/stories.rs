//! The stories of `sample-logs/`: every 520 found, none invented, each cause as expected.

use crate::parquet;
use crate::support::run;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a report says of one request.
#[derive(Debug)]
struct Said {
    cause: String,
    confidence: String,
    evidence: String,
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-logs")
}

/// The story folders, by name.
fn stories() -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(samples())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    found.sort();
    found
}

/// Cause of each ray in a story's `expected.csv`.
fn expected(story: &Path) -> BTreeMap<String, String> {
    let mut table = csv::Reader::from_path(story.join("expected.csv")).unwrap();
    table.deserialize::<(String, String)>().map(Result::unwrap).collect()
}

/// Runs the binary over a path and reads the report; the other outputs have to hold as many rows.
fn analyze(path: &Path) -> BTreeMap<String, Said> {
    let dir = tempfile::tempdir().unwrap();
    let input = path.to_str().unwrap();
    let mut args = vec!["analyze", input, "-q", "--show-secrets"];
    for output in ["out.csv", "out.parquet", "out.ndjson", "out.json"] {
        args.extend(["-o", output]);
    }
    let ran = run(dir.path(), &args).ended(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{input}: nothing there is an error");

    let mut table = csv::Reader::from_path(dir.path().join("out.csv")).unwrap();
    let rows: Vec<BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    let json: serde_json::Value = serde_json::from_slice(&fs::read(dir.path().join("out.json")).unwrap()).unwrap();
    let ndjson = fs::read_to_string(dir.path().join("out.ndjson")).unwrap();
    let parquet = parquet::rows(&fs::read(dir.path().join("out.parquet")).unwrap());
    assert_eq!(json["rows"].as_array().unwrap().len(), rows.len(), "{input}: JSON and CSV");
    assert_eq!(ndjson.lines().count(), rows.len(), "{input}: NDJSON and CSV");
    assert_eq!(usize::try_from(parquet).unwrap(), rows.len(), "{input}: Parquet and CSV");

    let count = rows.len();
    let said: BTreeMap<String, Said> = rows
        .into_iter()
        .map(|mut row| {
            let mut take = |name: &str| row.remove(name).unwrap();
            (take("ray_id"), Said { cause: take("cause"), confidence: take("confidence"), evidence: take("evidence") })
        })
        .collect();
    assert_eq!(said.len(), count, "{input}: one row a request");
    said
}

/// What differs between the truth and a report, a paragraph each.
fn differences(story: &str, expected: &BTreeMap<String, String>, said: &BTreeMap<String, Said>) -> Vec<String> {
    let mut found = Vec::new();
    for (ray, cause) in expected {
        match said.get(ray) {
            None => found.push(format!("{story}: {ray} is a 520 ({cause}) and not in the report")),
            Some(got) if got.cause != *cause => found
                .push(format!("{story}: {ray} expected {cause}, got {} ({})\n    evidence: {}", got.cause, got.confidence, got.evidence)),
            Some(_) => {}
        }
    }
    for (ray, got) in said.iter().filter(|(ray, _)| !expected.contains_key(*ray)) {
        found.push(format!("{story}: {ray} is no 520 and in the report as {}\n    evidence: {}", got.cause, got.evidence));
    }
    found
}

#[track_caller]
fn nothing_in(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn each_story_is_told_and_so_it_is_when_all_are_told_at_once() {
    let stories = stories();
    assert!(stories.len() >= 20, "{stories:?}");
    let (mut wrong, mut truth, mut single) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (name, path) in &stories {
        let expected = expected(path);
        let said = analyze(path);
        wrong.extend(differences(name, &expected, &said));
        truth.extend(expected.into_keys().map(|ray| (ray, name.clone())));
        single.extend(said.into_iter().map(|(ray, said)| (ray, said.cause)));
    }
    nothing_in(&wrong);
    // Sites side by side in one tree must not explain each other's failures.
    let together = analyze(&samples());
    assert_eq!(truth.len(), together.len(), "no ray stands in two stories");
    nothing_in(&differences("all stories at once", &single, &together));
}

#[test]
fn there_is_a_story_for_each_family_and_one_without_a_520() {
    let causes: Vec<String> = stories().iter().flat_map(|(_, path)| expected(path).into_values()).collect();
    for family in cfray_model::Family::ALL.iter().filter(|family| **family != cfray_model::Family::Neighbour) {
        let told = causes.iter().filter_map(|name| cfray_model::Cause::from_name(name)).any(|cause| cause.family() == *family);
        assert!(told, "no story of {}", family.name());
    }
    assert!(stories().iter().any(|(_, path)| expected(path).is_empty()));
}

#[test]
fn what_lies_beside_the_logs_is_named_and_is_no_error() {
    let story = samples().join("pool-exhausted-fpm");
    let ran = run(&story, &["analyze", "."]).ended(0);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let listed: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("Not a log")).collect();
    let about: Vec<&str> = ran.stdout.lines().filter(|line| line.contains("README.md") || line.contains("expected.csv")).collect();
    assert!(!listed.is_empty() && about.len() == 2, "{}", ran.stdout);
    assert!(!ran.stdout.contains("of them rejected"), "{}", ran.stdout);
    run(&story, &["analyze", ".", "--strict", "-q"]).ended(0);
}

#[test]
fn each_story_says_what_it_is() {
    let manifest = fs::read_to_string(samples().join("MANIFEST.md")).unwrap();
    for (name, path) in stories() {
        assert!(manifest.contains(&format!("({name}/README.md)")), "{name} is missing in MANIFEST.md");
        let readme = fs::read_to_string(path.join("README.md")).unwrap();
        assert!(readme.starts_with(&format!("# {name}\n")) && readme.contains("## How it was made"), "{name}");
    }
}
