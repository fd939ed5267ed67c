//! The figures of a comparison, as Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use super::{Outcome, Verdict, family};

/// The whole report; a reader that stops early is no error.
pub fn print(o: &Outcome) {
    let _ = std::io::stdout().write_all(render(o).as_bytes());
}

fn render(o: &Outcome) -> String {
    let mut out = String::new();
    let n = o.verdicts.len();
    let found = o.verdicts.iter().filter(|v| v.said.is_some()).count();
    let right = o.verdicts.iter().filter(|v| v.right).count();
    let proofs: Vec<bool> = o.verdicts.iter().filter_map(|v| v.quoted).collect();
    let cannot: Vec<&Verdict> = o.verdicts.iter().filter(|v| v.truth == "unknown").collect();
    let silent = cannot.iter().filter(|v| v.right).count();
    let _ = writeln!(out, "| figure | value |\n|---|---|");
    let _ = writeln!(out, "| recordings | {} |", o.recordings);
    let _ = writeln!(out, "| 520s | {n} |");
    let _ = writeln!(out, "| found | {} |", share(found, n));
    let _ = writeln!(out, "| accuracy, by request | {} |", share(right, n));
    let _ = writeln!(out, "| accuracy, mean of recordings | {:.3} |", mean_by(&o.verdicts, |v| &v.recording));
    let _ = writeln!(out, "| accuracy, mean of scenarios | {:.3} |", mean_by(&o.verdicts, |v| &v.scenario));
    let _ = writeln!(out, "| macro-F1, causes | {:.3} |", macro_f1(&o.verdicts, |c| c.to_owned()));
    let _ = writeln!(out, "| macro-F1, families | {:.3} |", macro_f1(&o.verdicts, |c| family(c).to_owned()));
    let _ = writeln!(out, "| proving text quoted | {} |", share(proofs.iter().filter(|p| **p).count(), proofs.len()));
    let _ = writeln!(out, "| cannot tell, and says `unknown` | {} |", share(silent, cannot.len()));
    let _ = writeln!(out, "| 520s invented | {} |", o.invented.values().sum::<usize>());
    let _ = writeln!(out, "| calibration error over scenarios | {:.3} |", calibration(&o.verdicts));
    if !o.times.is_empty() {
        let total: f64 = o.times.values().map(|t| t.as_secs_f64()).sum();
        let _ = writeln!(out, "| time | {total:.2} s, longest {:.2} s |", o.times.values().max().map_or(0.0, |t| t.as_secs_f64()));
    }
    per_recording(&mut out, o);
    per_cause(&mut out, &o.verdicts);
    confusion(&mut out, &o.verdicts);
    print_levels(&mut out, &o.verdicts);
    out
}

fn share(a: usize, n: usize) -> String {
    if n == 0 { "-".into() } else { format!("{:.3} ({a} of {n})", a as f64 / n as f64) }
}

fn mean_by<'a>(verdicts: &'a [Verdict], key: impl Fn(&'a Verdict) -> &'a str) -> f64 {
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for v in verdicts {
        let g = groups.entry(key(v)).or_default();
        g.0 += usize::from(v.right);
        g.1 += 1;
    }
    let sum: f64 = groups.values().map(|(r, n)| *r as f64 / *n as f64).sum();
    sum / groups.len().max(1) as f64
}

/// What counts as said: an accepted alternative counts as the true cause.
fn answer(v: &Verdict) -> &str {
    if v.right { &v.truth } else { v.said.as_deref().unwrap_or("(not found)") }
}

fn f1(verdicts: &[Verdict], name: &dyn Fn(&str) -> String, class: &str) -> (f64, f64, f64) {
    let (mut tp, mut fp, mut fneg) = (0.0, 0.0, 0.0);
    for v in verdicts {
        match (name(&v.truth) == class, name(answer(v)) == class) {
            (true, true) => tp += 1.0,
            (false, true) => fp += 1.0,
            (true, false) => fneg += 1.0,
            (false, false) => {}
        }
    }
    let ratio = |a: f64, b: f64| if a + b == 0.0 { 0.0 } else { a / (a + b) };
    (ratio(tp, fp), ratio(tp, fneg), ratio(2.0 * tp, fp + fneg))
}

fn macro_f1(verdicts: &[Verdict], name: impl Fn(&str) -> String) -> f64 {
    let classes: BTreeSet<String> = verdicts.iter().map(|v| name(&v.truth)).collect();
    let sum: f64 = classes.iter().map(|c| f1(verdicts, &name, c).2).sum();
    sum / classes.len().max(1) as f64
}

fn per_recording(out: &mut String, o: &Outcome) {
    let _ = writeln!(
        out,
        "\n| recording | 520s | found | right | quoted | mean confidence | invented | said instead |\n|---|---|---|---|---|---|---|---|"
    );
    let names: BTreeSet<&str> = o.verdicts.iter().map(|v| v.recording.as_str()).chain(o.invented.keys().map(String::as_str)).collect();
    for name in names {
        let of: Vec<&Verdict> = o.verdicts.iter().filter(|v| v.recording == name).collect();
        let proofs: Vec<bool> = of.iter().filter_map(|v| v.quoted).collect();
        let quoted = if proofs.is_empty() {
            "-".into()
        } else {
            format!("{:.2}", proofs.iter().filter(|p| **p).count() as f64 / proofs.len() as f64)
        };
        let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
        for v in of.iter().filter(|v| !v.right) {
            *wrong.entry(format!("{}→{}", v.truth, answer(v))).or_default() += 1;
        }
        let wrong = wrong.iter().map(|(w, n)| format!("{w} {n}")).collect::<Vec<_>>().join(", ");
        let ratio = |a: usize| if of.is_empty() { "-".to_owned() } else { format!("{:.3}", a as f64 / of.len() as f64) };
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {quoted} | {:.2} | {} | {wrong} |",
            of.len(),
            ratio(of.iter().filter(|v| v.said.is_some()).count()),
            ratio(of.iter().filter(|v| v.right).count()),
            of.iter().map(|v| v.confidence).sum::<f64>() / of.len().max(1) as f64,
            o.invented.get(name).copied().unwrap_or(0),
        );
    }
}

fn per_cause(out: &mut String, verdicts: &[Verdict]) {
    let _ = writeln!(out, "\n| cause | 520s | recordings | precision | recall | F1 |\n|---|---|---|---|---|---|");
    let causes: BTreeSet<&str> = verdicts.iter().map(|v| v.truth.as_str()).collect();
    for c in causes {
        let recordings: BTreeSet<&str> = verdicts.iter().filter(|v| v.truth == c).map(|v| v.recording.as_str()).collect();
        let (p, r, f) = f1(verdicts, &|x: &str| x.to_owned(), c);
        let n = verdicts.iter().filter(|v| v.truth == c).count();
        let _ = writeln!(out, "| {c} | {n} | {} | {p:.3} | {r:.3} | {f:.3} |", recordings.len());
    }
}

fn confusion(out: &mut String, verdicts: &[Verdict]) {
    let mut pairs: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for v in verdicts.iter().filter(|v| !v.right) {
        *pairs.entry((&v.truth, answer(v))).or_default() += 1;
    }
    let _ = writeln!(out, "\n| truth | said | 520s |\n|---|---|---|");
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    for ((truth, said), n) in pairs {
        let _ = writeln!(out, "| {truth} | {said} | {n} |");
    }
}

/// Reliability by level of confidence; a scenario counts once in each level it reaches, so that one
/// long recording does not speak for all. Returns the expected calibration error.
fn calibration(verdicts: &[Verdict]) -> f64 {
    let levels = levels(verdicts);
    let total: f64 = levels.iter().map(|l| l.1 as f64).sum();
    levels.iter().map(|(said, n, right)| *n as f64 / total.max(1.0) * (said - right).abs()).sum()
}

/// Mean confidence, number of scenarios, mean accuracy over scenarios, for each level.
fn levels(verdicts: &[Verdict]) -> Vec<(f64, usize, f64)> {
    let mut cells: BTreeMap<(i64, &str), (f64, usize, usize)> = BTreeMap::new();
    for v in verdicts.iter().filter(|v| v.said.is_some()) {
        let level = (v.confidence * 20.0).round() as i64;
        let c = cells.entry((level, v.scenario.as_str())).or_default();
        c.0 += v.confidence;
        c.1 += usize::from(v.right);
        c.2 += 1;
    }
    let mut by_level: BTreeMap<i64, Vec<(f64, f64)>> = BTreeMap::new();
    for ((level, _), (sum, right, n)) in cells {
        by_level.entry(level).or_default().push((sum / n as f64, right as f64 / n as f64));
    }
    let table: Vec<(f64, usize, f64)> = by_level
        .values()
        .map(|s| {
            let n = s.len() as f64;
            (s.iter().map(|x| x.0).sum::<f64>() / n, s.len(), s.iter().map(|x| x.1).sum::<f64>() / n)
        })
        .collect();
    table
}

/// Wilson's 95 % interval for a mean share over `n` scenarios.
fn wilson(p: f64, n: usize) -> (f64, f64) {
    let (n, z) = (n as f64, 1.96f64);
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

fn print_levels(out: &mut String, verdicts: &[Verdict]) {
    let _ = writeln!(out, "\n| confidence said | scenarios | right | 95 % interval |\n|---|---|---|---|");
    for (said, n, right) in levels(verdicts) {
        let (lo, hi) = wilson(right, n);
        let _ = writeln!(out, "| {said:.2} | {n} | {right:.3} | {lo:.2} to {hi:.2} |");
    }
}
