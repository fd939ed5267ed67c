//! The user's own causes: from the configuration to rules.

use super::OwnCauseConfig;
use super::places::Places;
use crate::values::fail_on;
use cfray_causes::OwnRule;
use cfray_formats::own::{MOST, OwnPatterns};
use cfray_model::{Cause, Family};
use globset::GlobBuilder;

/// Longest name.
const NAME: usize = 40;

/// Rules and their patterns, in the same order.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// For the verdicts.
    pub rules: Vec<OwnRule>,
    /// For the origin pass.
    pub patterns: OwnPatterns,
}

/// Families that a cause may be put under: not the meanings of other statuses, and not `unknown`.
fn families() -> impl Iterator<Item = &'static Family> {
    Family::ALL.iter().filter(|family| !matches!(family, Family::Neighbour | Family::Unknown))
}

fn family(name: &str) -> Option<Family> {
    families().find(|family| family.name() == name).copied()
}

/// Checks names, families and patterns.
pub fn check(causes: &[OwnCauseConfig], places: &Places<'_>) -> Result<(), String> {
    if causes.len() > MOST {
        return Err(places.key(&["cause"], &format!("{} causes; there may be {MOST}", causes.len())));
    }
    for (number, cause) in causes.iter().enumerate() {
        let index = number.to_string();
        let slip = |key: &str, what: &str| Err(places.value(&["cause", &index, key], what));
        let name = cause.name.as_str();
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !plain || !(2..=NAME).contains(&name.len()) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            return slip("name", &format!("{name:?}: a name has 2 to {NAME} small letters, digits and hyphens, such as \"varnish-guru\""));
        }
        if name == "any" || Cause::from_name(name).is_some() {
            return slip("name", &format!("{name:?} is a name of cfray's own; choose another"));
        }
        if causes.iter().take(number).any(|other| other.name == name) {
            return slip("name", &format!("{name:?} is given twice; choose another"));
        }
        if family(&cause.family).is_none() {
            let names: Vec<&str> = families().map(|family| family.name()).collect();
            let hint = fail_on::nearest_of(&cause.family, names.iter().copied())
                .map_or_else(|| format!("one of {}", names.join(", ")), |near| format!("did you mean {near:?}?"));
            return slip("family", &format!("there is no family {:?}; {hint}", cause.family));
        }
        if let Err(error) = cfray_formats::own::check(&cause.pattern) {
            return slip("pattern", &format!("the pattern {:?} {error}", cause.pattern));
        }
        if cause.what_to_do.trim().is_empty() {
            return slip("what-to-do", "say what to do: the report shows it");
        }
        if let Some(Err(error)) = cause.path.as_deref().map(path) {
            return slip("path", &error);
        }
    }
    let patterns: Vec<&str> = causes.iter().map(|cause| cause.pattern.as_str()).collect();
    OwnPatterns::new(&patterns).map(drop).map_err(|error| places.key(&["cause"], &format!("the patterns together: {error}")))
}

/// A pattern for the path of a request: `*` stays within one part, `**` does not.
fn path(pattern: &str) -> Result<globset::GlobMatcher, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| format!("{pattern:?} is no pattern for paths: {}", error.kind()))
}

/// The causes by name, for messages and `cfray explain`.
pub fn causes(config: &[OwnCauseConfig]) -> Vec<Cause> {
    config.iter().map(cause).collect()
}

fn cause(config: &OwnCauseConfig) -> Cause {
    let mut evidence = format!("An origin line that matches `{}`", config.pattern);
    if let Some(status) = &config.status {
        evidence.push_str(&format!(", where the access line of the request has status {}", status.text));
    }
    if let Some(path) = &config.path {
        evidence.push_str(&format!(", for paths like {path}"));
    }
    evidence.push_str(
        ". A line of the request itself (by ray, or one to one by method, URI and time) or of its connection; a line that names no \
         request only by contrast: near failures and not near answered requests of the same minutes.",
    );
    let says = config.says.clone().unwrap_or_else(|| format!("The origin logged a line that your configuration names {}.", config.name));
    Cause::own(&config.name, family(&config.family).unwrap_or(Family::OriginCrash), &says, &evidence, &config.what_to_do)
}

/// Rules and patterns of causes that have been checked.
pub fn own(config: &[OwnCauseConfig]) -> Result<Own, String> {
    let rules = config.iter().map(|one| {
        let statuses = one.status.as_ref().map(|s| s.ranges.clone()).unwrap_or_default();
        Ok(OwnRule { cause: cause(one), statuses, path: one.path.as_deref().map(path).transpose()? })
    });
    let patterns: Vec<&str> = config.iter().map(|one| one.pattern.as_str()).collect();
    Ok(Own { rules: rules.collect::<Result<_, String>>()?, patterns: OwnPatterns::new(&patterns)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::parse;

    #[test]
    fn slips_in_a_cause_are_named_with_their_place() {
        let good = "[[cause]]\nname = \"varnish-guru\"\nfamily = \"malformed\"\npattern = 'Guru'\nwhat-to-do = \"Look.\"\n";
        assert_eq!(parse(good).unwrap().cause.len(), 1);
        for (from, to, words) in [
            ("varnish-guru", "worker-crash", "line 2, column 8: \"worker-crash\" is a name of cfray's own"),
            ("varnish-guru", "Guru!", "line 2, column 8: "),
            ("malformed", "malformd", "line 3, column 10: there is no family \"malformd\"; did you mean \"malformed\"?"),
            ("malformed", "neighbour", "there is no family"),
            ("'Guru'", "'Guru('", "line 4, column 11: the pattern \"Guru(\" is no regular expression: unclosed group"),
            ("'Guru'", "'.*'", "matches every line"),
            ("'Guru'", r"'(\w{500}){500}'", "too large"),
            ("Look.", " ", "say what to do"),
            ("pattern", "patern", "did you mean `pattern`?"),
        ] {
            let error = parse(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(words), "{to}: {error}");
        }
        assert!(parse(&good.repeat(2)).unwrap_err().contains("line 7, column 8: \"varnish-guru\" is given twice"));
    }
}
