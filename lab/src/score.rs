//! `lab score`: compares cfray's CSV reports with the recordings' truth.

mod table;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use table::print;

/// Causes and their families, as the contract fixes them.
const CAUSES: &[(&str, &str)] = &[
    ("worker-crash", "origin-crash"),
    ("oom-kill", "origin-crash"),
    ("pool-exhausted", "origin-crash"),
    ("timeout-kill", "origin-crash"),
    ("server-restart", "origin-crash"),
    ("server-io", "origin-crash"),
    ("app-fatal", "origin-crash"),
    ("plugin-fault", "plugin"),
    ("edge-ip-blocked", "blocked"),
    ("client-blocked", "blocked"),
    ("rule-dropped", "blocked"),
    ("throttled", "blocked"),
    ("headers-too-large", "headers"),
    ("keepalive-race", "keepalive"),
    ("malformed-response", "malformed"),
    ("backend-closed", "malformed"),
    ("proxy-protocol", "malformed"),
    ("http2-fault", "http2"),
    ("request-rejected", "request"),
    ("origin-pull-rejected", "origin-pull"),
    ("wrong-origin", "dns"),
    ("edge-incident", "edge"),
    ("origin-520", "edge"),
    ("unknown", "unknown"),
];

pub fn family(cause: &str) -> &str {
    CAUSES.iter().find(|(c, _)| *c == cause).map_or("?", |(_, f)| f)
}

/// One 520 of one recording, and what the report said of it.
pub struct Verdict {
    pub recording: String,
    pub scenario: String,
    pub truth: String,
    /// `None`: the report has no such ray.
    pub said: Option<String>,
    pub right: bool,
    pub confidence: f64,
    /// `None`: nothing proves this one.
    pub quoted: Option<bool>,
}

#[derive(Default)]
pub struct Outcome {
    pub verdicts: Vec<Verdict>,
    /// Rays the report calls a 520 that the truth does not know.
    pub invented: BTreeMap<String, usize>,
    pub times: BTreeMap<String, Duration>,
    pub recordings: usize,
}

pub fn main(args: &[String]) -> Result<()> {
    let (mut recordings, mut reports, mut binary) = (Vec::new(), None, None);
    let mut it = args.iter();
    while let Some(a) = it.next() {
        let value = it.next().with_context(|| format!("{a} wants a value"))?;
        match a.as_str() {
            "--recordings" => recordings.push(PathBuf::from(value)),
            "--reports" => reports = Some(PathBuf::from(value)),
            "--cfray" => binary = Some(PathBuf::from(value)),
            _ => bail!("unknown option {a}"),
        }
    }
    let mut folders = Vec::new();
    for dir in &recordings {
        // A recording itself, or a directory of them.
        if dir.join("truth.csv").exists() {
            folders.push(dir.clone());
            continue;
        }
        for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
            if !hidden && path.join("truth.csv").exists() {
                folders.push(path);
            }
        }
    }
    folders.sort();
    if folders.is_empty() {
        bail!("no recordings found");
    }
    let scratch = std::env::temp_dir().join(format!("cfray-lab-score-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let mut outcome = Outcome::default();
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let report = match (&reports, &binary) {
            (Some(dir), _) => dir.join(format!("{name}.csv")),
            (None, Some(binary)) => {
                let out = scratch.join(format!("{name}.csv"));
                let begun = Instant::now();
                let ran = Command::new(binary).args(["analyze", "-q", "-o"]).arg(&out).arg(folder.join("logs")).output()?;
                outcome.times.insert(name.clone(), begun.elapsed());
                if !ran.status.success() {
                    bail!("{name}: {}", String::from_utf8_lossy(&ran.stderr));
                }
                out
            }
            _ => bail!("give --reports DIR or --cfray BINARY"),
        };
        compare(&name, folder, &report, &mut outcome).with_context(|| name.clone())?;
    }
    let _ = std::fs::remove_dir_all(&scratch);
    print(&outcome);
    Ok(())
}

/// Variants of one fault are one scenario: the name up to its cause, else its first two words.
fn scenario_of(recording: &str) -> String {
    let cause = CAUSES.iter().map(|(c, _)| *c).filter(|c| recording.starts_with(c)).max_by_key(|c| c.len());
    match cause {
        Some(c) => c.to_owned(),
        None => recording.split('-').take(2).collect::<Vec<_>>().join("-"),
    }
}

fn compare(name: &str, folder: &Path, report: &Path, outcome: &mut Outcome) -> Result<()> {
    let mut said: HashMap<String, csv::StringRecord> = HashMap::new();
    let mut reader = csv::Reader::from_path(report).with_context(|| report.display().to_string())?;
    let header = reader.headers()?.clone();
    let column = |n: &str| header.iter().position(|h| h == n).with_context(|| format!("no column {n}"));
    let (ray, status, cause) = (column("ray_id")?, column("edge_status")?, column("cause")?);
    let (confidence, evidence) = (column("confidence")?, column("evidence")?);
    for record in reader.records() {
        let record = record?;
        if &record[status] == "520" {
            said.insert(record[ray].to_owned(), record);
        }
    }
    outcome.recordings += 1;
    let mut truth = csv::Reader::from_path(folder.join("truth.csv"))?;
    for record in truth.records() {
        let record = record?;
        let (right_cause, accept, proof) = (&record[2], &record[3], &record[4]);
        let found = said.remove(&record[0]);
        let answer = found.as_ref().map(|r| r[cause].to_owned());
        let right = answer.as_deref().is_some_and(|a| a == right_cause || accept.split(['|', ';', ',', ' ']).any(|x| x == a));
        let quoted = (!proof.is_empty()).then(|| found.as_ref().is_some_and(|r| proof.split("||").any(|p| r[evidence].contains(p))));
        outcome.verdicts.push(Verdict {
            recording: name.to_owned(),
            scenario: scenario_of(name),
            truth: right_cause.to_owned(),
            said: answer,
            right,
            confidence: found.and_then(|r| r[confidence].parse().ok()).unwrap_or(0.0),
            quoted,
        });
    }
    if !said.is_empty() {
        outcome.invented.insert(name.to_owned(), said.len());
    }
    Ok(())
}
