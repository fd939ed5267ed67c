//! Help, completions and the manual page are made from one definition.

use crate::support::run;
use std::path::Path;

#[test]
fn help_and_version_are_no_error() {
    let here = Path::new(".");
    run(here, &["--version"]).ended(0).says(&["cfray"]);
    run(here, &["--help"]).ended(0).says(&["analyze", "ray", "explain", "formats", "Exit status", "130"]);
    run(here, &["analyze", "--help"]).ended(0).says(&["--since", "--fail-on", "--csv-fields", "--max-inflate", ".parquet"]);
    run(here, &[]).ended(2).complains(&["Usage"]);
}

#[test]
fn completions_for_three_shells() {
    for (shell, words) in
        [("bash", ["_cfray", "--fail-on"]), ("zsh", ["#compdef cfray", "--fail-on"]), ("fish", ["complete -c cfray", "fail-on"])]
    {
        run(Path::new("."), &["completions", shell]).ended(0).says(&words);
    }
    run(Path::new("."), &["completions", "tcsh"]).ended(2).complains(&["bash"]);
}

#[test]
fn the_manual_page_is_roff() {
    let ran = run(Path::new("."), &["man"]).ended(0).says(&[".TH", "CFRAY ANALYZE", "CFRAY RAY"]);
    assert!(ran.stdout.replace("\\-", "-").contains("--fail-on"));
}
