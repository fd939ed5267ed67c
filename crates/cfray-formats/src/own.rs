//! Patterns over whole origin lines, for causes that the user's configuration defines.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// Most patterns in one configuration: a kept line marks each match with one bit.
pub const MOST: usize = 64;
/// Memory that one compiled pattern may take, in bytes. Matching is linear in the line whatever the pattern.
const SIZE: usize = 1 << 20;

/// Compiled patterns, in the order given.
#[derive(Clone, Debug, Default)]
pub struct OwnPatterns(Option<RegexSet>);

impl OwnPatterns {
    /// Compiles patterns that passed [`check`].
    ///
    /// # Errors
    /// When one does not compile, there are more than [`MOST`], or they are too large together.
    pub fn new(patterns: &[&str]) -> Result<Self, String> {
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        if patterns.len() > MOST {
            return Err(format!("{} patterns; at most {MOST} are matched in one run", patterns.len()));
        }
        let set = RegexSetBuilder::new(patterns).size_limit(SIZE * MOST / 4).build().map_err(|error| reason(&error))?;
        Ok(Self(Some(set)))
    }

    /// Are there none?
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One bit for each pattern that the record matches: bit 0 is the first.
    pub fn find(&self, record: &[u8]) -> u64 {
        let Some(set) = &self.0 else { return 0 };
        if !set.is_match(record) {
            return 0;
        }
        set.matches(record).iter().fold(0, |bits, index| bits | 1 << index)
    }
}

/// Is it a pattern that says something?
///
/// # Errors
/// When it does not compile, is too large, or matches a line without text (and so every line).
pub fn check(pattern: &str) -> Result<(), String> {
    let regex: Regex = RegexBuilder::new(pattern).size_limit(SIZE).build().map_err(|error| reason(&error))?;
    if regex.is_match(b"") {
        return Err("matches every line; name words that only the lines in question hold".to_owned());
    }
    Ok(())
}

/// The last line of the library's message says what is wrong; the lines before it draw a picture.
fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => {
            format!("is too large (over {} KB compiled); use smaller repetitions", SIZE / 1024)
        }
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("is no regular expression: {}", last.strip_prefix("error: ").unwrap_or(last))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_match_sets_its_bit() {
        let patterns = OwnPatterns::new(&["Guru Meditation", r"backend \S+ is down", "(?i)guru"]).unwrap();
        assert_eq!(patterns.find(b"503 Guru Meditation"), 0b101);
        assert_eq!(patterns.find(b"backend web2 is down \xff"), 0b010);
        assert_eq!(patterns.find(b"all is well"), 0);
        assert_eq!(OwnPatterns::default().find(b"Guru"), 0);
    }

    #[test]
    fn patterns_that_say_nothing_are_refused() {
        for (pattern, words) in [("a(", "unclosed group"), ("", "every line"), ("x*", "every line"), (r"\w{2000}{20}", "too large")] {
            let error = check(pattern).unwrap_err();
            assert!(error.contains(words), "{pattern}: {error}");
        }
        assert!(check("Guru").is_ok());
        assert!(OwnPatterns::new(&vec!["a"; MOST + 1]).is_err());
    }
}
