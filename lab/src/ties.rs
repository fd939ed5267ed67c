//! `lab ties`: how well requests are tied to access lines that carry no ray.
//!
//! Recordings whose access logs carry rays know the truth. Their rays are taken out, the logs are joined
//! again by request, and each 520's line is compared with the one that had its ray.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Result;
use cfray_causes::join::World;
use cfray_model::{LineKind, Stack};
use regex::{Captures, Regex};

use crate::joined::{self, Scratch};

static RAY: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b([0-9a-f]{16})(-[A-Z]{3})?\b").expect("static"));

/// Counts over 520s.
#[derive(Clone, Copy, Default)]
struct Count {
    /// The origin wrote an access line: it is the one that was tied, another was, none was.
    right: usize,
    wrong: usize,
    none: usize,
    /// It wrote none, and none was tied, or one all the same.
    silent: usize,
    invented: usize,
}

pub fn main(args: &[String]) -> Result<()> {
    let options = joined::options(args, &["--recordings"])?;
    let dirs: Vec<PathBuf> = options.get("--recordings").into_iter().flatten().map(PathBuf::from).collect();
    let scratch = Scratch::new("ties")?;
    let mut total = Count::default();
    println!("| recording | with a line | right | wrong | none | without | got one |\n|---|---|---|---|---|---|---|");
    for folder in joined::folders(&dirs)? {
        let logs = folder.join("logs");
        let with = joined::world(&logs);
        if !with.any_rays || with.edge.incidents.is_empty() {
            continue;
        }
        let truth = lines(&with, &logs);
        let rays: HashSet<u64> = with.edge.facts.iter().map(|f| f.ray).collect();
        let copy = scratch.0.join(joined::name(&folder));
        joined::copy(&logs, &copy, &mut |_, line| strip(line, &rays))?;
        let without = joined::world(&copy);
        let tied = lines(&without, &copy);
        let mut c = Count::default();
        for (ray, line) in &truth {
            match (line, tied.get(ray).cloned().flatten()) {
                (Some(line), Some(tied)) if *line == tied => c.right += 1,
                (Some(_), Some(_)) => c.wrong += 1,
                (Some(_), None) => c.none += 1,
                (None, Some(_)) => c.invented += 1,
                (None, None) => c.silent += 1,
            }
        }
        row(&joined::name(&folder), c);
        total.right += c.right;
        total.wrong += c.wrong;
        total.none += c.none;
        total.silent += c.silent;
        total.invented += c.invented;
        let _ = std::fs::remove_dir_all(&copy);
    }
    row("**all**", total);
    let share = |a: usize, n: usize| if n == 0 { f64::NAN } else { 100.0 * a as f64 / n as f64 };
    println!(
        "\n{:.1} % of the 520s with an access line are tied to it; {:.1} % of those without one get one.",
        share(total.right, total.right + total.wrong + total.none),
        share(total.invented, total.invented + total.silent)
    );
    Ok(())
}

fn row(name: &str, c: Count) {
    println!(
        "| {name} | {} | {} | {} | {} | {} | {} |",
        c.right + c.wrong + c.none,
        c.right,
        c.wrong,
        c.none,
        c.silent + c.invented,
        c.invented
    );
}

/// A line without the rays that the edge knows.
fn strip(line: &str, rays: &HashSet<u64>) -> String {
    let replace = |c: &Captures<'_>| match u64::from_str_radix(&c[1], 16) {
        Ok(ray) if rays.contains(&ray) => "-".to_owned(),
        _ => c[0].to_owned(),
    };
    RAY.replace_all(line, replace).into_owned()
}

/// The access line (file below the logs, line) of each 520, by ray.
fn lines(w: &World, logs: &Path) -> HashMap<u64, Option<(String, u64)>> {
    let mut out = HashMap::new();
    for (row, fact) in w.edge.incidents.iter().zip(&w.incident_fact) {
        let (Some(ray), Some(fact)) = (row.ray, fact) else { continue };
        let owned = w.ties.of_fact.get(fact).into_iter().flatten().filter(|e| !w.ties.open.contains(e));
        let line = owned.filter_map(|&e| w.evs.get(e as usize)).find(|ev| ev.e.kind == LineKind::Access && ev.e.stack != Stack::Fpm);
        let place = line.map(|ev| {
            let file = w.source_name(ev).trim_start_matches(&logs.display().to_string()).to_owned();
            (file, ev.e.at.line)
        });
        out.insert(ray.0, place);
    }
    out
}
