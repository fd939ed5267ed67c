//! What large inputs make necessary changes no report: facts about rows in a temporary file, incidents in slices.

use crate::support::Site;
use cfray_causes::{Part, Settings, analyze, analyze_slices};
use cfray_ingest::{Discovery, Input, NoProgress, Options, discover, scan_edge, scan_origin};
use cfray_model::report::Report;
use cfray_model::{EdgeFilter, EdgeScan};
use std::path::Path;

/// The whole report as text, and whether the facts lay in a file.
fn report(dir: &Path, facts_in_memory: usize) -> (String, bool) {
    let options = Options { facts_in_memory, ..Options::default() };
    let mut found = discover(&[Input::Path(dir.to_owned())], &options);
    let mut parts = Vec::new();
    let mut stored = true;
    let scopes = found.scopes();
    for scope in &scopes {
        if scopes.len() > 1 {
            found.focus(scope);
        }
        let edge = scan_edge(&found, &EdgeFilter::default(), &options, &NoProgress);
        stored &= edge.facts.is_stored() || edge.facts.is_empty();
        let origin = scan_origin(&found, edge.index(), &options, &NoProgress);
        parts.push(Part { edge, origin });
    }
    (format!("{:#?}", analyze(parts, &found.sources, Vec::new(), &Settings::default())), stored)
}

#[test]
fn the_report_is_the_same() {
    let site = Site::new();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sample-logs");
    for dir in [site.path(), &samples] {
        let (expected, in_file) = report(dir, usize::MAX);
        assert!(!in_file && expected.contains("WorkerCrash"), "{}", dir.display());
        let (got, in_file) = report(dir, 0);
        assert!(in_file, "{}", dir.display());
        assert!(got == expected, "{}", dir.display());
    }
}

/// The report of inputs whose incidents are analysed so many at a time, and the number of slices.
fn sliced(inputs: &[&Path], incidents_at_once: usize) -> (Report, usize) {
    sliced_between(inputs, incidents_at_once, |_| ())
}

/// The same; `before` is called before each pass over the origin's logs with its number: 0 measures clocks, 1 is the first slice's.
pub fn sliced_between(inputs: &[&Path], incidents_at_once: usize, before: impl FnMut(usize)) -> (Report, usize) {
    sliced_with(inputs, incidents_at_once, &Settings::default(), before)
}

fn sliced_with(inputs: &[&Path], incidents_at_once: usize, settings: &Settings, mut before: impl FnMut(usize)) -> (Report, usize) {
    let options = Options { incidents_at_once, ..Options::default() };
    let inputs: Vec<Input> = inputs.iter().map(|path| Input::Path((*path).to_owned())).collect();
    let mut found = discover(&inputs, &options);
    let scopes = found.scopes();
    let focus = |found: &mut Discovery, number: usize| {
        if scopes.len() > 1 {
            found.focus(&scopes[number]);
        }
    };
    let (mut parts, mut slices) = (Vec::new(), 0);
    for number in 0..scopes.len() {
        focus(&mut found, number);
        let edge = scan_edge(&found, &EdgeFilter::default(), &options, &NoProgress);
        slices += edge.slices.len();
        let whole = edge.slices.is_empty();
        let origin = if whole { scan_origin(&found, edge.index(), &options, &NoProgress) } else { Default::default() };
        parts.push(Part { edge, origin });
    }
    let sources = found.sources.clone();
    let mut pass = 0;
    let mut rescan = |number: usize, edge: &EdgeScan| {
        focus(&mut found, number);
        before(pass);
        pass += 1;
        scan_origin(&found, edge.index(), &options, &NoProgress)
    };
    (analyze_slices(parts, &sources, Vec::new(), settings, &mut rescan), slices)
}

#[test]
fn slices_that_are_joined_ahead_give_the_same_report() {
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    for name in ["client-blocked-apache-modsec", "timeout-kill-gunicorn"] {
        let dir = recordings.join(name).join("logs");
        let at_once = sliced(&[&dir], usize::MAX).0.rows.len() / 4;
        let report = |ahead, threads| {
            let (report, slices) = sliced_with(&[&dir], at_once, &Settings { ahead, threads, ..Settings::default() }, |_| ());
            assert!(slices >= 3, "{}: {slices}", dir.display());
            serde_json::to_string(&report).unwrap()
        };
        let expected = report(false, 1);
        assert!(report(true, 1) == expected && report(true, 3) == expected, "{}", dir.display());
    }
}

#[test]
fn slices_give_the_same_verdicts() {
    let site = Site::new();
    let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let dirs = ["client-blocked-apache-modsec", "headers-too-large-apache-O", "timeout-kill-gunicorn", "wrong-origin-onehost"];
    let dirs = dirs
        .iter()
        .map(|name| recordings.join(name).join("logs"))
        .chain([site.path().to_owned(), recordings.join("..").join("../../../sample-logs")]);
    let mut all = 0;
    for dir in dirs {
        let (whole, none) = sliced(&[&dir], usize::MAX);
        let (cut, slices) = sliced(&[&dir], whole.rows.len() / 2);
        assert!(none == 0 && whole.rows.kept().is_some());
        if slices == 0 {
            // Several sites with few incidents each.
            continue;
        }
        assert!(cut.rows.kept().is_none(), "{}", dir.display());
        all += slices;
        let rays = |report: &Report| report.rows.iter().map(|r| (r.edge.ray, r.edge.start, r.source.to_string())).collect::<Vec<_>>();
        assert_eq!(rays(&whole), rays(&cut), "{}", dir.display());
        let counts = |r: &Report| {
            format!("{:?} {:?} {:?}", r.edge.counters, (r.edge.incidents, r.edge.uncounted, r.edge.origin_requests), r.timeline.bucket_s)
        };
        assert_eq!(counts(&whole), counts(&cut), "{}", dir.display());
        let names = |r: &Report| r.sources.iter().map(|s| (s.info.name.clone(), s.lines, s.parsed, s.clock_unknown)).collect::<Vec<_>>();
        assert_eq!(names(&whole), names(&cut), "{}", dir.display());
        let differ = whole.rows.iter().zip(cut.rows.iter()).filter(|(a, b)| a.verdict.cause != b.verdict.cause).count();
        assert!(differ * 10 <= whole.rows.len(), "{}: {differ} of {}", dir.display(), whole.rows.len());
        let episodes = cut.rows.iter().filter(|r| r.episode.is_some()).count();
        assert_eq!(episodes, cut.episodes.iter().map(|e| e.rows.len()).sum::<usize>());
    }
    assert!(all >= 8, "{all} slices");
}

/// Slices read the origin's logs again and again, which a pipe does not allow: then everything is analysed at once.
#[test]
fn a_log_in_a_pipe_is_read_once() {
    let logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/client-blocked-apache-modsec/logs");
    let site = Site::new();
    let fifo = site.file("access.fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let access = std::fs::read(logs.join("apache2/access.log.gz")).unwrap();
    let writer = std::thread::spawn({
        let fifo = fifo.clone();
        move || std::fs::write(fifo, access)
    });
    let (report, slices) = sliced(&[&logs.join("cloudflare"), &fifo], 2);
    writer.join().unwrap().unwrap();
    assert!(slices == 0 && report.rows.len() > 10);
    assert!(report.sources.iter().any(|s| s.tied > 0 && s.info.name.ends_with(".fifo")), "{:?}", report.sources);
}
