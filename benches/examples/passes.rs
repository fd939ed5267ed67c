//! How long each stage of `cfray analyze` takes on given paths, without the report: what to run under a profiler.
//!
//! `cargo run --release -p cfray-benches --example passes -- [-jN] PATH...`
#![allow(clippy::print_stdout)]

use cfray_causes::{Part, Settings, analyze};
use cfray_ingest::{Input, NoProgress, Options, discover, scan_edge, scan_origin};
use cfray_model::EdgeFilter;
use std::collections::BTreeMap;
use std::time::Instant;

fn main() {
    let (threads, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with("-j"));
    let threads = threads.last().and_then(|t| t.get(2..)?.parse().ok()).unwrap_or(0);
    let options = Options { threads, ..Options::default() };
    let inputs: Vec<Input> = paths.iter().map(|p| if p == "-" { Input::Stdin } else { Input::Path(p.into()) }).collect();
    let begin = Instant::now();
    let mut last = (begin, thread_times());
    let mut longest = 0.0;
    let mut lap = |what: &str| {
        let (now, times) = (Instant::now(), thread_times());
        // While others work the main thread waits; what it does, it does alone.
        let main = std::process::id().to_string();
        let (mut alone, mut busiest, mut all) = (0.0, 0.0f64, 0.0);
        for (id, ns) in &times {
            let took = (ns - last.1.get(id).unwrap_or(&0)) as f64 / 1e6;
            all += took;
            if *id == main { alone = took } else { busiest = busiest.max(took) }
        }
        let most = alone + busiest;
        longest += most;
        println!(
            "{what:<10}{:>9.1} ms   CPU {all:>7.1} ms, longest way {most:>7.1} ms, so far {longest:>7.1} ms   now {:>6} MB, peak {:>6} MB",
            (now - last.0).as_secs_f64() * 1e3,
            status_mb("VmRSS:"),
            status_mb("VmHWM:")
        );
        last = (Instant::now(), thread_times());
    };
    let found = discover(&inputs, &options);
    lap("discover");
    let edge = scan_edge(&found, &EdgeFilter::default(), &options, &NoProgress);
    lap("edge");
    let index = edge.index();
    lap("index");
    let origin = scan_origin(&found, index, &options, &NoProgress);
    lap("origin");
    let settings = Settings { threads: options.workers(), ahead: options.workers() > 1, ..Settings::default() };
    let report = analyze(vec![Part { edge, origin }], &found.sources, found.skipped, &settings);
    lap("analyze");
    println!("{:<10}{:>9.1} ms   {} incidents", "all", begin.elapsed().as_secs_f64() * 1e3, report.rows.len());
}

/// Time that each thread of this process was on a core, in nanoseconds: on a machine that does other things as well, the busiest
/// thread of each stage says how long the stage takes.
fn thread_times() -> BTreeMap<String, u64> {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let ns = |text: String| text.split(' ').next().and_then(|ns| ns.parse().ok());
    threads
        .filter_map(|t| {
            Some((t.file_name().to_string_lossy().into_owned(), ns(std::fs::read_to_string(t.path().join("schedstat")).ok()?)?))
        })
        .collect()
}

/// Memory of this process as the kernel tells it: `VmRSS:` now, `VmHWM:` at most.
fn status_mb(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(what)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
}
