//! The fences of ARCHITECTURE.md, held by a test: which crate may use what, where `unsafe` and
//! printing are allowed, and how long a file may get.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use toml::Table;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn manifest(path: &Path) -> Table {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).parse().unwrap()
}

/// Name and folder of each crate under crates/, sorted.
fn crates() -> Vec<(String, PathBuf)> {
    let folders = fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path());
    let mut crates: Vec<(String, PathBuf)> = folders
        .filter(|path| path.join("Cargo.toml").is_file())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    crates.sort();
    assert!(crates.len() >= 6, "{crates:?}");
    crates
}

/// Names of the crates that a manifest's table lists, also under `[target.*]`.
fn dependencies(manifest: &Table, table: &str) -> Vec<String> {
    let targets = manifest.get("target").and_then(|t| t.as_table()).into_iter().flat_map(|t| t.values().filter_map(|v| v.as_table()));
    let tables = std::iter::once(manifest).chain(targets).filter_map(|t| t.get(table)?.as_table());
    tables.flat_map(|t| t.iter()).map(|(name, spec)| spec.get("package").and_then(|p| p.as_str()).unwrap_or(name).to_owned()).collect()
}

/// Rust files of a folder, sorted.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Layers, lowest first: a crate may use those of the row named for it, and no other of ours.
const MAY_USE: &[(&str, &[&str])] = &[
    ("cfray-model", &[]),
    ("cfray-formats", &["cfray-model"]),
    ("cfray-ingest", &["cfray-model", "cfray-formats"]),
    ("cfray-causes", &["cfray-model", "cfray-formats"]),
    ("cfray-report", &["cfray-model"]),
    ("cfray", &["cfray-model", "cfray-formats", "cfray-ingest", "cfray-causes", "cfray-report"]),
];

/// Dependencies that only these crates may have, with the reason.
const FENCED: &[(&str, &[&str], &str)] = &[
    ("polars", &["cfray-report"], "140 crates and minutes of compilation stay behind one crate"),
    ("clap", &["cfray"], "libraries know no command line"),
    ("indicatif", &["cfray"], "libraries do not draw on terminals"),
    ("memmap2", &["cfray-ingest"], "memory maps need unsafe code"),
    ("libc", &["cfray-ingest"], "system calls need unsafe code"),
    (
        "rayon",
        &["cfray-ingest", "cfray-causes", "cfray-report"],
        "ingest decides how many threads there are (`use_threads`), causes shares their work, report its rows",
    ),
    ("nom", &["cfray-formats"], "lines are parsed in one place"),
    ("regex", &["cfray-formats"], "patterns live in one place"),
];

#[test]
fn crates_use_only_what_lies_below_them() {
    for (name, path) in crates() {
        assert_eq!(manifest(&path.join("Cargo.toml"))["package"]["name"].as_str(), Some(name.as_str()), "folder and crate have one name");
        let (_, allowed) =
            MAY_USE.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name}: add it to MAY_USE and ARCHITECTURE.md"));
        for dependency in dependencies(&manifest(&path.join("Cargo.toml")), "dependencies") {
            assert!(!dependency.starts_with("cfray") || allowed.contains(&dependency.as_str()), "{name} must not use {dependency}");
        }
    }
}

#[test]
fn heavy_and_dangerous_dependencies_stay_in_their_crate() {
    for (name, path) in crates() {
        let used = dependencies(&manifest(&path.join("Cargo.toml")), "dependencies");
        for (dependency, home, why) in FENCED {
            let here = used.iter().any(|u| u == dependency || (*dependency == "polars" && u.starts_with("polars")));
            assert!(!here || home.contains(&name.as_str()), "{name} uses {dependency}, which belongs to {home:?}: {why}");
        }
    }
}

#[test]
fn unsafe_code_is_forbidden_outside_ingest() {
    for (name, path) in crates().iter().filter(|(name, _)| name != "cfray-ingest") {
        for file in ["src/lib.rs", "src/main.rs"].map(|file| path.join(file)).iter().filter(|file| file.is_file()) {
            let text = fs::read_to_string(file).unwrap();
            assert!(
                text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]"),
                "{name}: {} lacks #![forbid(unsafe_code)]",
                file.display()
            );
        }
    }
}

#[test]
fn unsafe_blocks_say_why_they_are_sound() {
    let ingest = root().join("crates/cfray-ingest/src");
    for file in sources(&ingest) {
        let text = fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            if code.contains("unsafe {") || code.contains("unsafe impl") {
                let own = lines[at.saturating_sub(8)..=at].iter().any(|l| l.contains("SAFETY:"));
                // One remark may speak for a group of small blocks of one kind.
                let shared = lines[at.saturating_sub(60)..=at].iter().any(|l| l.contains("SAFETY of the blocks below"));
                assert!(own || shared, "{}:{}: unsafe without SAFETY comment", file.display(), at + 1);
            }
        }
    }
}

#[test]
fn lints_hold_for_every_crate_and_forbid_printing() {
    let workspace = manifest(&root().join("Cargo.toml"));
    let clippy = &workspace["workspace"]["lints"]["clippy"];
    for lint in ["print_stdout", "print_stderr", "dbg_macro"] {
        assert_eq!(clippy[lint].as_str(), Some("deny"), "{lint}");
    }
    for (name, path) in crates() {
        let manifest = manifest(&path.join("Cargo.toml"));
        let inherits = manifest.get("lints").and_then(|l| l.get("workspace")).and_then(|w| w.as_bool());
        assert_eq!(inherits, Some(true), "{name}: [lints] workspace = true");
        for file in sources(&path.join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            let allowed = text.lines().find(|l| l.contains("allow(") && (l.contains("print_std") || l.contains("dbg_macro")));
            assert!(allowed.is_none(), "{}: {}", file.display(), allowed.unwrap_or_default());
        }
    }
}

/// Longest file, in lines, tests aside.
const LONGEST: usize = 500;

#[test]
fn files_stay_short_enough_to_read() {
    let mut long = Vec::new();
    for (_, path) in crates() {
        for file in sources(&path.join("src")) {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            if stem == "tests" || stem.ends_with("_tests") || file.components().any(|c| c.as_os_str() == "tests") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let all: Vec<&str> = text.lines().collect();
            let tests = all.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'));
            let lines = tests.unwrap_or(all.len());
            if lines > LONGEST {
                long.push(format!("{}: {lines}", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "over {LONGEST} lines without tests:\n{}", long.join("\n"));
}

#[test]
fn the_command_starts_short() {
    let lines = fs::read_to_string(root().join("crates/cfray/src/main.rs")).unwrap().lines().count();
    assert!(lines < 80, "main.rs has {lines} lines");
}
