//! Discovery and the two passes, with what has to be said on the way.

use crate::exit::{Failure, Outcome};
use crate::plan::{Reading, Selection};
use crate::progress::Display;
use crate::values::glob;
use crate::{diag, rays};
use cfray_causes::{Part, Settings, serverconf};
use cfray_ingest::Discovery;
use cfray_model::report::{Meta, Report};
use cfray_model::serverconf::ConfTree;
use cfray_model::source::Skipped;
use cfray_model::{EdgeScan, RayId, SourceId, SourceInfo};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Format name of a list of rays among the sources.
pub const RAY_LIST: &str = "ray-list";

/// What the passes leave behind.
#[derive(Debug)]
pub struct Scanned {
    /// What the passes found, in parts that stand for themselves.
    pub parts: Vec<Part>,
    /// Every source.
    pub sources: Vec<SourceInfo>,
    /// Files that were not read.
    pub skipped: Vec<Skipped>,
    /// Configuration of the origin's servers.
    pub configs: Vec<ConfTree>,
    /// Something could not be read or was rejected: what `--strict` asks about.
    pub flawed: bool,
    /// Remarks on how it was read, for the report.
    pub notes: Vec<String>,
}

/// Is the source Cloudflare's side?
pub fn is_edge(source: &SourceInfo) -> bool {
    source.format.starts_with("cloudflare") || source.format == RAY_LIST
}

/// Looks at the inputs and names what cannot be read. Nothing readable at all is a failure.
pub fn discover(reading: &Reading) -> Outcome<Discovery> {
    cfray_ingest::parallel::use_threads(&reading.options);
    let discovery = cfray_ingest::discover(&reading.inputs.list, &reading.options);
    // A failure names them itself.
    if discovery.sources.is_empty() && discovery.configs.is_empty() {
        return Err(nothing(reading, &discovery.skipped));
    }
    for skip in discovery.skipped.iter().filter(|s| s.failed) {
        let hint = if skip.hint.is_empty() { String::new() } else { format!(" ({})", skip.hint) };
        diag::warning(&format!("{}: {}{hint}", skip.name, skip.what));
    }
    for problem in discovery.configs.iter().flat_map(|c| &c.problems).filter(|p| p.failed) {
        diag::warning(&format!("{}:{}: {}", problem.file, problem.line, problem.what));
    }
    without_effect(reading, &discovery);
    Ok(discovery)
}

/// Names options for files that hold for no file, and a format without files that was taken for all of them.
fn without_effect(reading: &Reading, discovery: &Discovery) {
    let sources = || discovery.sources.iter().filter(|s| !is_edge(s));
    let example = sources().next().map_or("", |s| s.name.as_str());
    for (option, pattern) in &reading.patterns {
        // Patterns were checked when they were read.
        let Ok(matcher) = glob::matcher(pattern) else { continue };
        if !discovery.sources.iter().any(|s| matcher.is_match(&s.name)) {
            let names = if example.is_empty() { String::new() } else { format!("; names look like {example}") };
            diag::warning(&format!("{option}: the pattern {pattern:?} matches no log that was read{names}"));
        }
    }
    if reading.options.log_formats.iter().any(|(glob, _)| glob.is_none()) {
        let taken = sources().filter(|s| s.why.contains(" fit --log-format ")).count();
        let all = sources().count();
        if taken == 0 {
            diag::warning(
                "--log-format without a pattern fits no file (half of its lines have to fit); `cfray formats PATH` says what each was taken for",
            );
        } else if taken == all && all > 1 {
            diag::warning(&format!(
                "--log-format without a pattern was taken for all {all} origin logs, {example} among them; name the files that it describes: --log-format 'access*.log=...'"
            ));
        }
    }
}

const EXPECTED: &str = "expected: Cloudflare Logpush http_requests (NDJSON or CSV) and the origin's logs (nginx, Apache, PHP-FPM, syslog, ...),\n\
     also compressed; `cfray formats` lists all. A format of your own: --log-format '...'";

/// How many files are named in a message.
const NAMED: usize = 5;

/// Nothing that can be read: says what was found and what is expected.
fn nothing(reading: &Reading, skipped: &[Skipped]) -> Failure {
    let inputs = reading.inputs.names();
    let place = match inputs.as_slice() {
        [one] if one == "-" => "standard input".to_owned(),
        [one] => one.clone(),
        _ => format!("{} inputs", inputs.len()),
    };
    let unreadable = !skipped.is_empty() && skipped.iter().all(|s| s.failed);
    let mut why = match skipped.len() {
        0 => "it is empty".to_owned(),
        1 if unreadable => "it cannot be read".to_owned(),
        n if unreadable => format!("none of {n} can be read"),
        1 => "found 1 file, which is no log that cfray knows".to_owned(),
        n => format!("found {n} files, none a log that cfray knows"),
    };
    for skip in skipped.iter().take(NAMED) {
        let hint = if skip.hint.is_empty() { String::new() } else { format!(" ({})", skip.hint) };
        why.push_str(&format!("\n    {}: {}{hint}", skip.name, skip.what));
    }
    if skipped.len() > NAMED {
        why.push_str(&format!("\n    and {} more", skipped.len() - NAMED));
    }
    let failure = Failure::new(format!("no log to read in {place}"), why);
    // What logs look like is no answer to a path that cannot be opened.
    if unreadable { failure } else { failure.help(EXPECTED) }
}

/// Runs both passes, for each part of the input that stands for itself. `ray` is the request that
/// `cfray ray` asks for.
pub fn scan(
    discovery: &mut Discovery,
    reading: &Reading,
    selection: &Selection,
    ray: Option<RayId>,
    progress: &Display,
) -> Outcome<Scanned> {
    let mut parts = Vec::new();
    let mut notes = Vec::new();
    let mut list = None;
    if let Some(path) = &selection.rays {
        let (edge, info) = listed(path, discovery, selection)?;
        list = Some(info);
        let mut first = part(edge, discovery, reading, ray, progress);
        // What a bare ray does not say, its lines do: with method, path and time other lines of the request are found.
        let learned = rays::learn(&mut first.edge, &first.origin);
        if !learned.is_empty() {
            let mut index = first.edge.index();
            index.requests.extend(&learned);
            first.origin = cfray_ingest::scan_origin(discovery, index, &reading.options, progress);
            notes.push(format!(
                "{} without a time: method, path and time are taken from the line with that ray, so clocks are measured against that log, not against Cloudflare's",
                if learned.len() == 1 { "1 ray".to_owned() } else { format!("{} rays", learned.len()) }
            ));
        }
        parts.push(first);
    } else {
        let scopes = discovery.scopes();
        for scope in &scopes {
            if scopes.len() > 1 {
                discovery.focus(scope);
            }
            let edge = cfray_ingest::scan_edge(discovery, &selection.filter, &reading.options, progress);
            // Where incidents are too many, the origin's lines are looked for slice by slice: see [`report`].
            let sliced = !edge.slices.is_empty();
            parts.push(if sliced { Part { edge, ..Part::default() } } else { part(edge, discovery, reading, ray, progress) });
        }
    }
    progress.clear();

    let mut sources = discovery.sources.clone();
    let skipped = discovery.skipped.clone();
    let configs = discovery.configs.clone();
    sources.extend(list);
    let flawed = complain(&parts, &mut BTreeSet::new())
        || skipped.iter().any(|s| s.failed)
        || configs.iter().flat_map(|c| &c.problems).any(|p| p.failed);
    Ok(Scanned { parts, sources, skipped, configs, flawed, notes })
}

/// Joins and decides. In a large storm the origin's logs are read again for each slice of time. The second value: something
/// could not be read or was rejected, now or before.
pub fn report(scanned: Scanned, discovery: &mut Discovery, reading: &Reading, settings: &Settings, progress: &Display) -> (Report, bool) {
    let scopes = discovery.scopes();
    let mut flawed = scanned.flawed;
    let mut told = BTreeSet::new();
    let mut rescan = |number: usize, edge: &EdgeScan| {
        if let Some(scope) = scopes.get(number).filter(|_| scopes.len() > 1) {
            discovery.focus(scope);
        }
        let origin = cfray_ingest::scan_origin(discovery, edge.index(), &reading.options, progress);
        progress.clear();
        let part = Part { origin, ..Part::default() };
        flawed |= complain(std::slice::from_ref(&part), &mut told);
        part.origin
    };
    let report = cfray_causes::analyze_slices(scanned.parts, &scanned.sources, scanned.skipped, settings, &mut rescan);
    (report, flawed)
}

/// The origin pass beside an edge pass.
fn part(edge: EdgeScan, discovery: &Discovery, reading: &Reading, ray: Option<RayId>, progress: &Display) -> Part {
    let mut index = edge.index();
    index.rays.extend(ray.map(|r| r.0));
    let origin = cfray_ingest::scan_origin(discovery, index, &reading.options, progress);
    Part { edge, origin }
}

/// A list of rays in place of the edge pass.
fn listed(path: &Path, discovery: &Discovery, selection: &Selection) -> Outcome<(EdgeScan, SourceInfo)> {
    if let Some(logpush) = discovery.sources.iter().find(|s| is_edge(s)) {
        let what = "--rays stands in for Logpush data, and there is some";
        return Err(Failure::new(what, &logpush.name).help("leave out --rays, or give only the origin's logs as PATH"));
    }
    let id = SourceId(u32::try_from(discovery.sources.len()).unwrap_or(u32::MAX));
    let (scan, info) = rays::read(path, id, &selection.filter)?;
    for reject in &scan.rejects {
        diag::warning(&format!("{}:{}: {}", info.name, reject.at.line, reject.reason));
    }
    Ok((scan, info))
}

/// Names what went wrong while reading, unless it was `told` before: each slice of a storm meets the same. True if anything was
/// unreadable or rejected.
fn complain(parts: &[Part], told: &mut BTreeSet<String>) -> bool {
    let mut problems: BTreeSet<String> = parts.iter().flat_map(|part| part.edge.problems.iter().cloned()).collect();
    let origin = || parts.iter().flat_map(|part| &part.origin.sources);
    problems.extend(origin().flat_map(|s| s.problems.iter().map(move |problem| format!("{}: {problem}", s.info.name))));
    for problem in &problems {
        if told.insert(problem.clone()) {
            diag::warning(problem);
        }
    }
    !problems.is_empty() || parts.iter().any(|part| part.edge.counters.rejected > 0) || origin().any(|s| s.rejected > 0)
}

/// Settings of the analysis, with what the report says about how it was made.
pub fn settings(reading: &Reading, selection: &Selection, configs: &[ConfTree]) -> Settings {
    Settings {
        config: Arc::new(serverconf::audit(configs, &reading.ranges)),
        zones: reading.zones.clone(),
        lines: false,
        threads: reading.options.workers(),
        ahead: reading.options.workers() > 1 && reading.options.max_memory.is_none(),
        own: reading.own.rules.clone(),
        thresholds: reading.config.thresholds.clone(),
        meta: Meta {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            inputs: reading.inputs.names(),
            input_note: reading.inputs.note.clone(),
            options: reading.set.clone(),
            statuses: selection.statuses.text.clone(),
            notes: reading.notes.clone(),
        },
    }
}
