//! A table of patterns: one pass of a set decides whether a message is worth captures at all.

use cfray_model::{Line, Sig, SigHit, Text};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::sync::OnceLock;

/// What a line must be for a pattern to count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// Any line of the stack.
    Any,
    /// A line about a process: no connection id, no client, and no raw text of others.
    Process,
}

/// One pattern. Groups named `num`, `pid` and `name` fill the fields of the hit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    /// What it means; `None`: known, and deliberately without meaning (stops the search).
    pub sig: Option<Sig>,
    /// Where it may stand.
    pub scope: Scope,
    /// Number of the hit where the message does not hold it.
    pub num: Option<i64>,
    /// The pattern, anchored at the start.
    pub regex: &'static str,
}

/// A pattern for any line.
pub(super) const fn any(sig: Sig, regex: &'static str) -> Pattern {
    Pattern { sig: Some(sig), scope: Scope::Any, num: None, regex }
}

/// A pattern for lines about processes.
pub(super) const fn process(sig: Sig, regex: &'static str) -> Pattern {
    Pattern { sig: Some(sig), scope: Scope::Process, num: None, regex }
}

/// A pattern for lines about processes, with a number that the message does not hold.
pub(super) const fn process_num(sig: Sig, num: i64, regex: &'static str) -> Pattern {
    Pattern { sig: Some(sig), scope: Scope::Process, num: Some(num), regex }
}

/// A message that resembles a later pattern but means nothing for a request.
pub(super) const fn nothing(regex: &'static str) -> Pattern {
    Pattern { sig: None, scope: Scope::Any, num: None, regex }
}

/// A hit without captures.
pub(super) const fn bare(sig: Sig) -> SigHit {
    SigHit { sig, num: None, pid: None, name: None }
}

/// A pattern, compiled once a message has fitted it: most never see one.
struct Row {
    pattern: &'static Pattern,
    regex: OnceLock<Option<Compiled>>,
}

/// A pattern with the places of its groups.
struct Compiled {
    regex: Regex,
    num: Option<usize>,
    pid: Option<usize>,
    name: Option<usize>,
}

impl Row {
    fn compiled(&self) -> Option<&Compiled> {
        let compile = || {
            let regex = RegexBuilder::new(self.pattern.regex).unicode(false).build().ok()?;
            let group = |name| regex.capture_names().position(|group| group == Some(name));
            Some(Compiled { num: group("num"), pid: group("pid"), name: group("name"), regex })
        };
        self.regex.get_or_init(compile).as_ref()
    }
}

/// Patterns in the order of the table: the first that fits wins.
pub(super) struct Table {
    set: RegexSet,
    rows: Vec<Row>,
}

impl Table {
    /// Compiles a table's set. Patterns are ours, so all of them compile: a test in each file says so.
    pub fn new(patterns: &'static [Pattern]) -> Self {
        let set = RegexSetBuilder::new(patterns.iter().map(|p| p.regex)).unicode(false).build().unwrap_or_else(|_| RegexSet::empty());
        let rows = patterns.iter().map(|pattern| Row { pattern, regex: OnceLock::new() }).collect();
        Self { set, rows }
    }

    /// Number of patterns that compiled, alone and in the set.
    #[cfg(test)]
    pub fn compiled(&self) -> (usize, usize) {
        (self.rows.iter().filter(|row| row.compiled().is_some()).count(), self.set.len())
    }

    /// The first pattern that fits `text`, a message of `line`.
    pub fn find(&self, line: &Line<'_>, text: &[u8]) -> Option<SigHit> {
        let about_process = line.cid.is_none() && line.client.is_none() && !line.raw_text;
        for index in self.set.matches(text) {
            let Some(row) = self.rows.get(index) else { continue };
            let pattern = row.pattern;
            if pattern.scope == Scope::Process && !about_process {
                continue;
            }
            let sig = pattern.sig?;
            let Some((compiled, found)) = row.compiled().and_then(|compiled| Some((compiled, compiled.regex.captures(text)?))) else {
                continue;
            };
            let group = |group: Option<usize>| found.get(group?);
            let number = |at: Option<usize>| group(at).and_then(|m| number(m.as_bytes()));
            return Some(SigHit {
                sig,
                num: number(compiled.num).or(pattern.num),
                pid: number(compiled.pid).and_then(|n| u64::try_from(n).ok()),
                name: group(compiled.name).map(|m| Text::from(String::from_utf8_lossy(m.as_bytes()))).filter(|n| !n.is_empty()),
            });
        }
        None
    }
}

/// A decimal number that fits; anything else is `None`.
pub(super) fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
