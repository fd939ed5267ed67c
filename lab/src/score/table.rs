//! The figures of a comparison, as Markdown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use super::Outcome;
use super::figures::{Verdict, answer, f1, figures, ratio};
use super::levels::{Step, calibration_error, fitted, leave_one_out, reliability};

/// A reader that stops early is no error.
pub fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Figures, what is wrong where, what is confused, and the confidence.
pub fn short(o: &Outcome) -> String {
    let mut out = String::new();
    overall(&mut out, o);
    let _ = writeln!(out);
    per_recording(&mut out, o, |right| right < 1.0);
    let _ = writeln!(out);
    confusion(&mut out, &o.verdicts);
    let _ = writeln!(out);
    levels(&mut out, &o.verdicts);
    out
}

/// The tables of docs/accuracy.md.
pub fn markdown(o: &Outcome) -> String {
    let mut out = String::from("### Overall\n\n");
    overall(&mut out, o);
    out.push_str("\n### By cause\n\n");
    per_cause(&mut out, &o.verdicts);
    out.push_str("\n### What is confused\n\n");
    confusion(&mut out, &o.verdicts);
    out.push_str("\n### Is the confidence right?\n\n");
    levels(&mut out, &o.verdicts);
    out.push_str("\n### By recording\n\n");
    per_recording(&mut out, o, |_| true);
    out
}

fn overall(out: &mut String, o: &Outcome) {
    let f = figures(&o.verdicts, o.invented.values().sum());
    let count = |what: &dyn Fn(&Verdict) -> bool| o.verdicts.iter().filter(|v| what(v)).count();
    let of = |name: &str, a: usize, n: usize| if n == 0 { "-".into() } else { format!("{:.3} ({a} of {n})", f[name]) };
    let n = o.verdicts.len();
    let scenarios: BTreeSet<&str> = o.verdicts.iter().map(|v| v.scenario.as_str()).collect();
    let rows = [
        ("recordings (without a 520)".to_owned(), format!("{} ({})", o.recordings, o.empty)),
        ("scenarios with a 520".into(), scenarios.len().to_string()),
        ("520s".into(), n.to_string()),
        ("found".into(), of("found", count(&|v| v.said.is_some()), n)),
        ("accuracy, by request".into(), of("accuracy", count(&|v| v.right), n)),
        ("accuracy, mean of recordings".into(), format!("{:.3}", f["accuracy-recordings"])),
        ("accuracy, mean of scenarios".into(), format!("{:.3}", f["accuracy-scenarios"])),
        ("macro-F1, causes".into(), format!("{:.3}", f["macro-f1"])),
        ("macro-F1, families".into(), format!("{:.3}", f["macro-f1-families"])),
        ("proving text quoted".into(), of("quoted", count(&|v| v.quoted == Some(true)), count(&|v| v.quoted.is_some()))),
        (
            "cannot tell, and says `unknown`".into(),
            of("cannot-tell", count(&|v| v.truth == "unknown" && v.said.as_deref() == Some("unknown")), count(&|v| v.truth == "unknown")),
        ),
        ("520s invented".into(), format!("{}", f["invented"])),
        ("calibration error over scenarios".into(), format!("{:.3}", calibration_error(&o.verdicts))),
    ];
    let _ = writeln!(out, "| figure | value |\n|---|---|");
    for (name, value) in rows {
        let _ = writeln!(out, "| {name} | {value} |");
    }
    if !o.times.is_empty() {
        let total: f64 = o.times.values().map(|t| t.as_secs_f64()).sum();
        let _ = writeln!(out, "| time | {total:.2} s, longest {:.2} s |", o.times.values().max().map_or(0.0, |t| t.as_secs_f64()));
    }
}

/// Recordings whose share that is right is `wanted`, and those with invented 520s.
fn per_recording(out: &mut String, o: &Outcome, wanted: impl Fn(f64) -> bool) {
    let _ = writeln!(
        out,
        "| recording | 520s | found | right | quoted | mean confidence | invented | said instead |\n|---|---|---|---|---|---|---|---|"
    );
    let names: BTreeSet<&str> = o.verdicts.iter().map(|v| v.recording.as_str()).chain(o.invented.keys().map(String::as_str)).collect();
    for name in names {
        let of: Vec<&Verdict> = o.verdicts.iter().filter(|v| v.recording == name).collect();
        let part = |what: &dyn Fn(&Verdict) -> bool| ratio(of.iter().filter(|v| what(v)).count() as f64, of.len() as f64);
        let invented = o.invented.get(name).copied().unwrap_or(0);
        if !wanted(part(&|v| v.right)) && invented == 0 {
            continue;
        }
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
        let _ = writeln!(
            out,
            "| {name} | {} | {:.3} | {:.3} | {quoted} | {:.2} | {invented} | {wrong} |",
            of.len(),
            part(&|v| v.said.is_some()),
            part(&|v| v.right),
            of.iter().map(|v| v.confidence).sum::<f64>() / of.len().max(1) as f64,
        );
    }
}

fn per_cause(out: &mut String, verdicts: &[Verdict]) {
    let _ = writeln!(out, "| cause | 520s | scenarios | recordings | precision | recall | F1 |\n|---|---|---|---|---|---|---|");
    let causes: BTreeSet<&str> = verdicts.iter().map(|v| v.truth.as_str()).collect();
    for c in causes {
        let of = |key: fn(&Verdict) -> &str| verdicts.iter().filter(|v| v.truth == c).map(key).collect::<BTreeSet<_>>().len();
        let (p, r, f) = f1(verdicts, &|x: &str| x.to_owned(), c);
        let n = verdicts.iter().filter(|v| v.truth == c).count();
        let _ = writeln!(out, "| {c} | {n} | {} | {} | {p:.3} | {r:.3} | {f:.3} |", of(|v| &v.scenario), of(|v| &v.recording));
    }
}

fn confusion(out: &mut String, verdicts: &[Verdict]) {
    let mut pairs: BTreeMap<(&str, &str), (usize, BTreeSet<&str>)> = BTreeMap::new();
    for v in verdicts.iter().filter(|v| !v.right) {
        let cell = pairs.entry((&v.truth, answer(v))).or_default();
        cell.0 += 1;
        cell.1.insert(&v.scenario);
    }
    let _ = writeln!(out, "| truth | said | 520s | scenarios |\n|---|---|---|---|");
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
    for ((truth, said), (n, scenarios)) in pairs {
        let _ = writeln!(out, "| {truth} | {said} | {n} | {} |", scenarios.len());
    }
}

fn levels(out: &mut String, verdicts: &[Verdict]) {
    let _ = writeln!(out, "| confidence said | 520s | scenarios | weight | right | 95 % interval |\n|---|---|---|---|---|---|");
    for l in reliability(verdicts) {
        let (lo, hi) = l.interval;
        let _ =
            writeln!(out, "| {:.2} | {} | {} | {:.1} | {:.3} | {lo:.2} to {hi:.2} |", l.said, l.rows, l.scenarios, l.weight, l.observed);
    }
}

/// As said, with levels fitted to everything, and with each scenario's levels fitted to the others.
pub fn loso(verdicts: &[Verdict]) -> String {
    let (all, out_of) = (fitted(verdicts), leave_one_out(verdicts));
    let mut out = String::from("\n| figure | as said | fitted | leave one scenario out |\n|---|---|---|---|\n");
    let sets = [verdicts, all.as_slice(), out_of.as_slice()];
    let figures: Vec<_> = sets.iter().map(|v| figures(v, 0)).collect();
    for (name, label) in [
        ("accuracy", "accuracy, by request"),
        ("accuracy-scenarios", "accuracy, mean of scenarios"),
        ("macro-f1", "macro-F1, causes"),
        ("macro-f1-families", "macro-F1, families"),
        ("cannot-tell", "cannot tell, and says `unknown`"),
    ] {
        let _ = writeln!(out, "| {label} | {:.3} | {:.3} | {:.3} |", figures[0][name], figures[1][name], figures[2][name]);
    }
    let errors: Vec<f64> = sets.iter().map(|v| calibration_error(v)).collect();
    let _ = writeln!(out, "| calibration error over scenarios | {:.3} | {:.3} | {:.3} |", errors[0], errors[1], errors[2]);
    out.push_str("\nLeave one scenario out:\n\n");
    levels(&mut out, &out_of);
    out
}

/// The fitted levels, as TOML and as Rust data.
pub fn steps(steps: &[Step]) -> String {
    let mut out = String::from("# Confidence levels fitted over scenarios: raw scores of a group from `from` on mean `confidence`.\n");
    for s in steps {
        let _ = writeln!(
            out,
            "[[level]]\ngroup = \"{}\"\nfrom = {:.3}\nconfidence = {:.2}\nscenarios = {}\nrows = {}\n",
            s.group, s.from, s.confidence, s.scenarios, s.rows
        );
    }
    out.push_str("# The same as Rust data: (group, from, confidence).\n# pub const LEVELS: &[(&str, f64, f64)] = &[\n");
    for s in steps {
        let _ =
            writeln!(out, "#     (\"{}\", {:.3}, {:.2}), // {} scenarios, {} requests", s.group, s.from, s.confidence, s.scenarios, s.rows);
    }
    out.push_str("# ];\n");
    out
}
