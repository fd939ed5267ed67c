//! `lab score`: compares cfray's CSV reports with the recordings' truth.

mod figures;
mod levels;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use figures::{Verdict, figures, is_quoted, is_right, scenario_of};

pub const USAGE: &str = "lab score --recordings DIR [--recordings DIR]... (--cfray BINARY [--keep DIR] | --reports DIR)
          [--markdown] [--fit] [--loso] [--floor NAME=VALUE]...";

#[derive(Default)]
pub struct Outcome {
    pub verdicts: Vec<Verdict>,
    /// Rays the report calls a 520 that the truth does not know.
    pub invented: BTreeMap<String, usize>,
    pub times: BTreeMap<String, Duration>,
    pub recordings: usize,
    /// Recordings without a 520.
    pub empty: usize,
}

#[derive(Default)]
struct Options {
    recordings: Vec<PathBuf>,
    reports: Option<PathBuf>,
    cfray: Option<PathBuf>,
    keep: Option<PathBuf>,
    markdown: bool,
    fit: bool,
    loso: bool,
    floors: Vec<(String, f64)>,
}

fn options(args: &[String]) -> Result<Options> {
    let mut o = Options::default();
    let mut it = args.iter();
    while let Some(a) = it.next() {
        let mut value = || it.next().with_context(|| format!("{a} wants a value\n{USAGE}"));
        match a.as_str() {
            "--markdown" => o.markdown = true,
            "--fit" => o.fit = true,
            "--loso" => o.loso = true,
            "--recordings" => o.recordings.push(value()?.into()),
            "--reports" => o.reports = Some(value()?.into()),
            "--cfray" => o.cfray = Some(value()?.into()),
            "--keep" => o.keep = Some(value()?.into()),
            "--floor" => {
                let text = value()?;
                let (name, value) = text.split_once('=').with_context(|| format!("--floor wants NAME=VALUE, not {text}"))?;
                o.floors.push((name.to_owned(), value.parse().with_context(|| format!("--floor {text}"))?));
            }
            _ => bail!("unknown option {a}\n{USAGE}"),
        }
    }
    Ok(o)
}

pub fn main(args: &[String]) -> Result<()> {
    let o = options(args)?;
    let folders = folders(&o.recordings)?;
    let scratch = std::env::temp_dir().join(format!("cfray-lab-score-{}", std::process::id()));
    let keep = o.keep.clone().unwrap_or_else(|| scratch.clone());
    std::fs::create_dir_all(&keep)?;
    let mut outcome = Outcome::default();
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let report = match (&o.reports, &o.cfray) {
            (Some(dir), _) => dir.join(format!("{name}.csv")),
            (None, Some(binary)) => analyze(binary, folder, &name, &keep, &mut outcome)?,
            _ => bail!("give --reports DIR or --cfray BINARY\n{USAGE}"),
        };
        compare(&name, folder, &report, &mut outcome).with_context(|| name.clone())?;
    }
    let _ = std::fs::remove_dir_all(&scratch);
    if o.fit {
        table::print(&table::steps(&levels::fit(&outcome.verdicts)));
        return Ok(());
    }
    table::print(&if o.markdown { table::markdown(&outcome) } else { table::short(&outcome) });
    if o.loso {
        table::print(&table::loso(&outcome.verdicts));
    }
    floors(&o.floors, &outcome)
}

/// Exit status 1 with a line for each figure that lies under its floor.
fn floors(floors: &[(String, f64)], o: &Outcome) -> Result<()> {
    let mut figures: BTreeMap<&str, f64> = figures(&o.verdicts, o.invented.values().sum());
    figures.insert("ece", levels::calibration_error(&o.verdicts));
    let mut low = Vec::new();
    for (name, floor) in floors {
        let value = *figures
            .get(name.as_str())
            .with_context(|| format!("no figure is called {name}; there are {}", figures.keys().copied().collect::<Vec<_>>().join(", ")))?;
        // These two are better when smaller.
        let bad = if matches!(name.as_str(), "invented" | "ece") { value > *floor } else { value < *floor };
        if bad {
            low.push(format!("{name} is {value:.4}, its limit {floor}"));
        }
    }
    if low.is_empty() { Ok(()) } else { bail!("{}", low.join("\n")) }
}

/// Recordings themselves, or directories of them.
fn folders(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for dir in given {
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
    Ok(folders)
}

fn analyze(binary: &Path, folder: &Path, name: &str, keep: &Path, outcome: &mut Outcome) -> Result<PathBuf> {
    let out = keep.join(format!("{name}.csv"));
    let begun = Instant::now();
    let ran = Command::new(binary).args(["analyze", "-q", "-o"]).arg(&out).arg(folder.join("logs")).output()?;
    outcome.times.insert(name.to_owned(), begun.elapsed());
    if !ran.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&ran.stderr));
    }
    Ok(out)
}

fn compare(name: &str, folder: &Path, report: &Path, outcome: &mut Outcome) -> Result<()> {
    let mut said: HashMap<String, csv::StringRecord> = HashMap::new();
    let mut reader = csv::Reader::from_path(report).with_context(|| report.display().to_string())?;
    let header = reader.headers()?.clone();
    let find = |n: &str| header.iter().position(|h| h == n);
    let column = |n: &str| find(n).with_context(|| format!("no column {n}"));
    let (ray, status, cause, tie) = (column("ray_id")?, column("edge_status")?, column("cause")?, column("match")?);
    let (confidence, evidence) = (column("confidence")?, column("evidence")?);
    // A build made for fitting may add these two; without them confidence is its own raw score.
    let (raw, group) = (find("raw_score"), find("confidence_group"));
    for record in reader.records() {
        let record = record?;
        if &record[status] == "520" {
            said.insert(record[ray].to_owned(), record);
        }
    }
    outcome.recordings += 1;
    let before = outcome.verdicts.len();
    let mut truth = csv::Reader::from_path(folder.join("truth.csv"))?;
    for record in truth.records() {
        let record = record?;
        let (right_cause, accept, proof) = (&record[2], &record[3], &record[4]);
        let found = said.remove(&record[0]);
        let cell = |i: usize| found.as_ref().map(|r| r[i].to_owned());
        let number = |i: usize| cell(i).and_then(|t| t.parse::<f64>().ok());
        let answer = cell(cause);
        let confidence = number(confidence).unwrap_or(0.0);
        outcome.verdicts.push(Verdict {
            recording: name.to_owned(),
            scenario: scenario_of(name),
            truth: right_cause.to_owned(),
            right: is_right(answer.as_deref(), right_cause, accept),
            confidence,
            raw: raw.and_then(number).unwrap_or(confidence),
            group: group.and_then(cell).unwrap_or_else(|| group_of(answer.as_deref(), cell(tie).as_deref())),
            quoted: is_quoted(cell(evidence).as_deref(), proof),
            said: answer,
        });
    }
    outcome.empty += usize::from(outcome.verdicts.len() == before);
    if !said.is_empty() {
        outcome.invented.insert(name.to_owned(), said.len());
    }
    Ok(())
}

/// Where the report names no group: how the request was tied, and `unknown` apart.
fn group_of(cause: Option<&str>, tie: Option<&str>) -> String {
    match (cause, tie) {
        (Some("unknown"), _) => "unknown",
        (_, Some("ray" | "request")) => "line",
        (_, Some("chain")) => "chain",
        (_, Some("window")) => "window",
        _ => "none",
    }
    .to_owned()
}
