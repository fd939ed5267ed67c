//! `cfray.toml`: every option, plus field names, zones, formats and servers by file name.

mod own;
mod places;

use crate::args::{Mmap, When};
use crate::exit::{Failure, Outcome};
use crate::values::{FailOn, Moment, Size, Statuses, Zone, fail_on, glob};
use cfray_causes::settings::THRESHOLDS;
use cfray_model::EdgeField;
pub use own::{Own, causes, own};
use places::Places;
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
    pub server_config: Option<Many<PathBuf>>,
    pub cloudflare_ips: Option<PathBuf>,
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
    /// Numbers by name.
    #[serde(default)]
    pub thresholds: BTreeMap<String, i64>,
    /// The user's own causes.
    #[serde(default)]
    pub cause: Vec<OwnCauseConfig>,
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

/// A cause of the user's: `[[cause]]`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OwnCauseConfig {
    /// Name, none of the built-in ones.
    pub name: String,
    /// One of the families that `cfray explain` lists.
    pub family: String,
    /// Regular expression over a whole origin line.
    pub pattern: String,
    /// What to do about it.
    pub what_to_do: String,
    /// What it says, one sentence.
    pub says: Option<String>,
    /// Status of the request's access line.
    pub status: Option<Statuses>,
    /// Pattern for the path of the request.
    pub path: Option<String>,
}

/// Reads a configuration and checks what can be checked without input. Slips are named with line and column.
pub fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| {
        let place = error.span().map(|span| Places::name(text, span.start)).unwrap_or_default();
        format!("{place}{}{}", error.message(), places::suggestion(error.message()))
    })?;
    let places = Places::new(text);
    check(&config, &places)?;
    Ok(config)
}

fn check(config: &Config, places: &Places<'_>) -> Result<(), String> {
    for (section, patterns) in [("zones", config.zones.keys().collect::<Vec<_>>()), ("formats", config.formats.keys().collect())] {
        for pattern in patterns {
            glob::matcher(pattern).map_err(|error| places.key(&[section, pattern], &error))?;
        }
    }
    for (server, patterns) in &config.servers {
        for pattern in Vec::from(patterns.clone()) {
            glob::matcher(&pattern).map_err(|error| places.value(&["servers", server], &error))?;
        }
    }
    for (pattern, template) in &config.formats {
        glob::template(template).map_err(|error| places.value(&["formats", pattern], &error))?;
    }
    if let Some(template) = &config.log_format {
        glob::template(template).map_err(|error| places.value(&["log-format"], &error))?;
    }
    for (theirs, ours) in &config.fields {
        if !EdgeField::ALL.iter().any(|field| field.name() == ours) {
            let names = EdgeField::ALL.iter().map(|field| field.name());
            let hint = fail_on::nearest_of(ours, names).map_or_else(
                || "the names are those of Logpush's http_requests, such as RayID".to_owned(),
                |name| format!("write {name:?}"),
            );
            return Err(places.value(&["fields", theirs], &format!("cfray reads no field {ours:?}; {hint}")));
        }
    }
    for (name, value) in &config.thresholds {
        let Some(threshold) = THRESHOLDS.iter().find(|t| t.name == name) else {
            let hint = match fail_on::nearest_of(name, THRESHOLDS.iter().map(|t| t.name)) {
                Some(near) => format!("did you mean {near:?}?"),
                None => format!("there are {}", THRESHOLDS.iter().map(|t| t.name).collect::<Vec<_>>().join(", ")),
            };
            return Err(places.key(&["thresholds", name], &format!("there is no threshold {name:?}; {hint}")));
        };
        let (least, most) = threshold.range;
        if !(least..=most).contains(value) {
            let text = format!("{name} is {value} {}; it may be {least} to {most}", threshold.unit);
            return Err(places.value(&["thresholds", name], &text));
        }
    }
    own::check(&config.cause, places)?;
    if config.redact && config.show_secrets {
        return Err(places.key(&["show-secrets"], "redact and show-secrets exclude each other; leave one out"));
    }
    if let Some(name) = &config.format
        && cfray_report::OutputFormat::from_name(name).is_none()
    {
        let names = cfray_report::FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
        return Err(places.value(&["format"], &format!("there is no format {name:?}; one of {names}")));
    }
    if let Some(fail_on) = &config.fail_on {
        fail_on.known(&own::causes(&config.cause)).map_err(|error| places.value(&["fail-on"], &error))?;
    }
    if config.max_ratio == Some(0) {
        return Err(places.value(&["max-ratio"], "max-ratio must be at least 1"));
    }
    if config.threads.is_some_and(|n| !(1..=256).contains(&n)) {
        return Err(places.value(&["threads"], "threads must be 1 to 256"));
    }
    Ok(())
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
        for threshold in THRESHOLDS {
            assert!(config.thresholds.contains_key(threshold.name), "cfray.example.toml does not show {}", threshold.name);
        }
        let cause = keys["cause"].as_array().unwrap()[0].as_table().unwrap();
        let error = toml::from_str::<OwnCauseConfig>("no-such-key = 1").unwrap_err().to_string();
        for key in error.split('`').skip(3).step_by(2) {
            assert!(cause.contains_key(key), "cfray.example.toml does not show {key} of [[cause]]");
        }
        // Every long option of the command line, where it makes sense in a file.
        let command = <crate::args::Cli as clap::CommandFactory>::command();
        let analyze = command.get_subcommands().find(|c| c.get_name() == "analyze").unwrap();
        for option in analyze.get_arguments().filter_map(|arg| arg.get_long()) {
            let apart = ["config", "no-config", "help", "server"].contains(&option);
            assert!(apart || keys.contains_key(option), "cfray.example.toml does not show --{option}");
        }
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
            ("threads = \"many\"", "line 1, column 11: "),
            ("\n  hots = \"a\"", "line 2, column 3: unknown field `hots`"),
            ("hots = \"a\"", "did you mean `host`?"),
            ("[zones]\n\"a[\" = \"UTC\"", "line 2, column 1: "),
            ("[fields]\nray = \"RayI\"", "line 2, column 7: cfray reads no field \"RayI\"; write \"RayID\""),
            ("[thresholds]\n\"infer.raech\" = 2", "line 2, column 1: there is no threshold \"infer.raech\"; did you mean \"infer.reach\"?"),
            ("[thresholds]\n\"infer.reach\" = 2000", "line 2, column 17: infer.reach is 2000 s; it may be 0 to 60"),
            ("fail-on = \"worker-crsh\"", "line 1, column 11: there is no cause \"worker-crsh\"; did you mean \"worker-crash\"?"),
            ("format = \"xls\"", "line 1, column 10: "),
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
