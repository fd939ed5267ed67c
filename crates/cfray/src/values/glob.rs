//! Options of the form `GLOB=VALUE` and `NAME=GLOB`, and how globs meet file names.

use globset::{GlobBuilder, GlobMatcher};
use std::str::FromStr;

/// A matcher for file names, by the same rules as for servers and log formats: a relative pattern may
/// begin at any directory (`access*.log` and `web1/*.log` both match `logs/web1/access.log`), `*` stays
/// within one directory and `**` does not, and a pattern that names a directory holds for all in it.
pub fn matcher(pattern: &str) -> Result<GlobMatcher, String> {
    let relative = pattern.trim_start_matches("./").trim_end_matches('/');
    let anchored = if relative.starts_with('/') || relative.starts_with("**") { relative.to_owned() } else { format!("**/{relative}") };
    GlobBuilder::new(&format!("{{{anchored},{anchored}/**}}"))
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| format!("{pattern:?} is no pattern for file names: {}", error.kind()))
}

/// `[GLOB=]VALUE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GlobPair<T> {
    /// Files it holds for; `None`: all.
    pub glob: Option<String>,
    /// The value.
    pub value: T,
}

impl<T: FromStr<Err = String>> GlobPair<T> {
    /// Reads `[GLOB=]VALUE` for values that hold no `=`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (glob, value) = text.rsplit_once('=').map_or((None, text), |(glob, value)| (Some(glob), value));
        if let Some(glob) = glob {
            matcher(glob)?;
        }
        Ok(Self { glob: glob.map(str::to_owned), value: value.parse()? })
    }
}

/// A `log_format` string with the files it describes.
pub type LogFormat = GlobPair<String>;

/// Reads `[GLOB=]STRING` where the string itself may hold `=`. What stands before the first `=`
/// is a pattern unless it holds a variable, a blank or a quote, as format strings do.
pub fn log_format(text: &str) -> Result<LogFormat, String> {
    let (glob, value) = match text.split_once('=') {
        Some((glob, value)) if !glob.is_empty() && !glob.contains(['$', '%', ' ', '"', '\'', '\t']) => (Some(glob), value),
        _ => (None, text),
    };
    if let Some(glob) = glob {
        matcher(glob)?;
    }
    template(value)?;
    Ok(GlobPair { glob: glob.map(str::to_owned), value: value.to_owned() })
}

/// Checks a format string early, so that a slip is reported before anything is read.
pub fn template(text: &str) -> Result<(), String> {
    cfray_formats::from_template(text)
        .map(drop)
        .map_err(|error| format!("{error}; give the string of nginx's log_format or Apache's LogFormat as it stands"))
}

/// Reads `NAME=GLOB`.
pub fn server(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, glob)) if !name.trim().is_empty() && !glob.is_empty() => {
            matcher(glob)?;
            Ok((name.trim().to_owned(), glob.to_owned()))
        }
        _ => Err("write NAME=GLOB, such as web1='logs/web1/*'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::Zone;
    use super::*;

    #[test]
    fn relative_patterns_begin_at_any_directory() {
        let hits = |pattern: &str, name: &str| matcher(pattern).unwrap().is_match(name);
        assert!(hits("access*.log", "access.log"));
        assert!(hits("access*.log", "logs/web1/access.log"));
        assert!(hits("web1/*", "logs/web1/error.log"));
        assert!(hits("./web1/*", "logs/web1/error.log"));
        assert!(hits("web1", "logs/web1/nginx/error.log"));
        assert!(hits("web{1,2}/*.log", "logs/web2/error.log"));
        assert!(!hits("*.log", "a.log.d") && !hits("web1/*.log", "web1/nginx.d/error.txt"));
        assert!(!hits("web1/*", "logs/web10/error.log"));
        assert!(hits("/var/log/*", "/var/log/nginx/access.log"));
        assert!(!hits("/var/log/*", "copy/var/log/nginx/access.log"));
        assert!(matcher("web[").is_err());
    }

    #[test]
    fn the_part_before_the_zone_is_a_glob() {
        let pair = GlobPair::<Zone>::parse("web=1/*.log=+05:30").unwrap();
        assert_eq!(pair.glob.as_deref(), Some("web=1/*.log"));
        assert_eq!(GlobPair::<Zone>::parse("Europe/Berlin").unwrap().glob, None);
        assert!(GlobPair::<Zone>::parse("*.log=Nowhere").is_err());
        assert!(GlobPair::<Zone>::parse("web[=Z").is_err());
    }

    #[test]
    fn servers_need_both_parts() {
        assert_eq!(server("web1=a/*"), Ok(("web1".to_owned(), "a/*".to_owned())));
        for bad in ["web1", "=a/*", "web1=", "web1=a["] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }
}
