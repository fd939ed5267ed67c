//! `cfray.toml`: every option, plus field names, zones, formats and servers by file name.

use crate::args::{Mmap, When};
use crate::exit::{Failure, Outcome};
use crate::values::{FailOn, Moment, Size, Statuses, Zone, glob};
use cfray_model::EdgeField;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The name that is looked for in the current directory.
pub const NAME: &str = "cfray.toml";

/// One or several.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Many<T> {
    /// One.
    One(T),
    /// Several.
    Several(Vec<T>),
}

impl<T> From<Many<T>> for Vec<T> {
    fn from(many: Many<T>) -> Self {
        match many {
            Many::One(item) => vec![item],
            Many::Several(items) => items,
        }
    }
}

/// The file. Keys are the long options; what the command line says counts more.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Config {
    pub output: Option<Many<PathBuf>>,
    pub format: Option<String>,
    #[serde(default)]
    pub quiet: bool,
    #[serde(default)]
    pub csv_raw: bool,
    pub color: Option<When>,
    pub since: Option<Moment>,
    pub until: Option<Moment>,
    pub host: Option<Many<String>>,
    pub colo: Option<Many<String>>,
    pub status: Option<Statuses>,
    pub rays: Option<PathBuf>,
    pub tz: Option<Zone>,
    pub log_format: Option<String>,
    pub csv_fields: Option<Many<String>>,
    pub max_inflate: Option<Size>,
    pub max_ratio: Option<u64>,
    pub max_memory: Option<Size>,
    pub mmap: Option<Mmap>,
    pub threads: Option<u16>,
    #[serde(default)]
    pub redact: bool,
    #[serde(default)]
    pub show_secrets: bool,
    #[serde(default)]
    pub strict: bool,
    pub fail_on: Option<FailOn>,
    /// Their name of a field (dotted when nested) to the Logpush name.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Pattern for file names to time zone.
    #[serde(default)]
    pub zones: BTreeMap<String, Zone>,
    /// Pattern for file names to log format string.
    #[serde(default)]
    pub formats: BTreeMap<String, String>,
    /// Server to patterns for file names.
    #[serde(default)]
    pub servers: BTreeMap<String, Many<String>>,
}

/// Reads a configuration and checks what can be checked without input.
pub fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    for pattern in config.zones.keys().chain(config.formats.keys()) {
        glob::matcher(pattern)?;
    }
    for patterns in config.servers.values() {
        for pattern in Vec::from(patterns.clone()) {
            glob::matcher(&pattern)?;
        }
    }
    for (pattern, template) in &config.formats {
        glob::template(template).map_err(|error| format!("[formats] {pattern:?}: {error}"))?;
    }
    if let Some(template) = &config.log_format {
        glob::template(template).map_err(|error| format!("log-format: {error}"))?;
    }
    for (theirs, ours) in &config.fields {
        if !EdgeField::ALL.iter().any(|field| field.name() == ours) {
            let near = EdgeField::ALL.iter().find(|field| field.name().eq_ignore_ascii_case(ours));
            let hint = near.map_or_else(
                || "the names are those of Logpush's http_requests, such as RayID".to_owned(),
                |f| format!("write {:?}", f.name()),
            );
            return Err(format!("[fields] {theirs:?} = {ours:?}: cfray reads no field {ours:?}; {hint}"));
        }
    }
    if config.redact && config.show_secrets {
        return Err("redact and show-secrets exclude each other".to_owned());
    }
    if config.max_ratio == Some(0) {
        return Err("max-ratio must be at least 1".to_owned());
    }
    Ok(config)
}

/// A configuration with what has to be said about it.
#[derive(Debug, Default)]
pub struct Found {
    /// What it sets.
    pub config: Config,
    /// For the summary: which file was read, or found and not used.
    pub note: Option<String>,
}

/// Finds and reads the configuration: the file given, else `cfray.toml` in the current directory
/// unless it lies in a scanned path (whoever can write logs must not choose how they are read).
pub fn find(given: Option<&Path>, none: bool, scanned: &[PathBuf]) -> Outcome<Found> {
    if none {
        return Ok(Found::default());
    }
    if let Some(path) = given {
        return Ok(Found { config: read(path)?, note: Some(format!("configuration read from {}", path.display())) });
    }
    let path = Path::new(NAME);
    if !path.is_file() {
        return Ok(Found::default());
    }
    if lies_in(path, scanned) {
        let note = format!("{NAME} lies in a scanned path and was not used; `--config {NAME}` uses it");
        return Ok(Found { config: Config::default(), note: Some(note) });
    }
    Ok(Found { config: read(path)?, note: Some(format!("configuration read from {NAME}")) })
}

fn read(path: &Path) -> Outcome<Config> {
    let what = || format!("cannot use configuration {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(what(), error))?;
    parse(&text).map_err(|error| Failure::new(what(), error).help("cfray.example.toml in the repository shows every key"))
}

/// Does the file lie in (or be one of) the scanned paths, symbolic links followed? What cannot be
/// resolved is taken to lie in it: then the file is not used.
fn lies_in(path: &Path, scanned: &[PathBuf]) -> bool {
    let Ok(real) = path.canonicalize() else { return true };
    let Ok(here) = std::path::absolute(path) else { return true };
    scanned
        .iter()
        .filter_map(|p| Some((p.canonicalize().ok()?, std::path::absolute(p).ok()?)))
        .any(|(root, written)| real.starts_with(&root) || here.starts_with(&root) || here.starts_with(&written))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_example_in_the_repository_is_read_and_shows_every_key() {
        let text = include_str!("../../../cfray.example.toml");
        parse(text).unwrap();
        // Keys that are commented out must be right, too.
        let whole: String = text.lines().map(|line| line.strip_prefix("#: ").unwrap_or(line)).map(|line| format!("{line}\n")).collect();
        let config = parse(&whole).unwrap();
        let keys: toml::Table = whole.parse().unwrap();
        let error = toml::from_str::<Config>("no-such-key = 1").unwrap_err().to_string();
        for key in error.split('`').skip(3).step_by(2) {
            assert!(keys.contains_key(key), "cfray.example.toml does not show {key}");
        }
        assert_eq!(config.status.unwrap().text, "520-527,530");
    }

    #[test]
    fn slips_are_named_with_their_place() {
        for (text, words) in [
            ("stauts = 520", "stauts"),
            ("status = \"5xx\"", "5xx"),
            ("[fields]\nray = \"RayId\"", "write \"RayID\""),
            ("[fields]\nray = \"Nonsense\"", "Nonsense"),
            ("[zones]\n\"*.log\" = \"Mars/Olympus\"", "Mars/Olympus"),
            ("[zones]\n\"a[\" = \"UTC\"", "a["),
            ("redact = true\nshow-secrets = true", "exclude each other"),
            ("threads = \"many\"", "line 1"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn findings_of_the_fuzzer_stay_mended() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/regressions/config");
        let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            let parsed = std::str::from_utf8(&bytes).map(parse);
            assert!(
                parsed.is_err() || parsed.is_ok_and(|p| p.map_or_else(|message| !message.trim().is_empty(), |_| true)),
                "{}",
                file.display()
            );
        }
    }

    #[test]
    fn a_file_in_a_scanned_directory_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let file = dir.path().join(NAME);
        std::fs::write(&file, "").unwrap();
        assert!(lies_in(&file, &[dir.path().to_owned()]));
        assert!(lies_in(&file, &[logs.join("..")]));
        assert!(lies_in(&file, std::slice::from_ref(&file)));
        assert!(!lies_in(&file, std::slice::from_ref(&logs)));
        std::fs::write(logs.join(NAME), "").unwrap();
        assert!(lies_in(&logs.join(NAME), &[logs]));
    }
}
