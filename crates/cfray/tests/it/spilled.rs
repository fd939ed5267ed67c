//! Facts about rows that lie in a temporary file lead to the same report as facts in memory.

use crate::support::Site;
use cfray_causes::{Part, Settings, analyze};
use cfray_ingest::{Input, NoProgress, Options, discover, scan_edge, scan_origin};
use cfray_model::EdgeFilter;
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
        let origin = scan_origin(&found, &edge.index(), &options, &NoProgress);
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
