//! PHP's messages, whoever carries them: FastCGI stderr in nginx and Apache, mod_php's lines, child
//! output in FPM's log, PHP's own error log.

use super::table::{bare, number};
use cfray_model::{Sig, SigHit};
use regex::bytes::{Regex, RegexBuilder};
use std::sync::LazyLock;

/// Opens each of several messages of one request in FastCGI stderr.
const MARK: &[u8] = b"PHP message: ";

/// `LEVEL: ` as an FPM child writes it before its output is wrapped.
static CHILD_LEVEL: LazyLock<Option<Regex>> = LazyLock::new(|| ascii(r"^(?:DEBUG|NOTICE|WARNING|ERROR|ALERT): "));
static FATAL: LazyLock<Option<Regex>> =
    LazyLock::new(|| ascii(r"^(?:PHP )?(?:(?:Recoverable |Catchable )?[Ff]atal error|(?:Parse|Core|Compile|User) error): *"));
static MEMORY: LazyLock<Option<Regex>> = LazyLock::new(|| ascii(r"^(?:Allowed memory size of (\d+) bytes exhausted|Out of memory)"));
static TIME: LazyLock<Option<Regex>> = LazyLock::new(|| ascii(r"^Maximum execution time of (\d+)(?:\+\d+)? seconds? exceeded"));
static OTHER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    ascii(
        r"^(?:PHP (?:Warning|Notice|Deprecated|Strict Standards|Startup|Core warning|Compile warning|User [a-z]+|Unknown error|[A-Z][a-z ]+)|Warning|Notice|Deprecated|Strict Standards): ",
    )
});
static TRACE: LazyLock<Option<Regex>> =
    LazyLock::new(|| ascii(r"^(?:(?:PHP )?Stack trace:|PHP +\d+\. |(?:PHP )?#\d+ |(?:PHP )?thrown in )"));

fn ascii(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).unicode(false).build().ok()
}

fn is(regex: &LazyLock<Option<Regex>>, text: &[u8]) -> bool {
    regex.as_ref().is_some_and(|r| r.is_match(text))
}

/// The gravest message in a text that may hold several.
pub(super) fn signature(text: &[u8]) -> Option<SigHit> {
    let mut found: Option<SigHit> = None;
    for (piece, marked) in pieces(text) {
        let hit = one(piece).or_else(|| (marked && !is_no_script(piece)).then(|| bare(Sig::PhpOther)));
        match hit {
            Some(hit) if is_fatal(hit.sig) => return Some(hit),
            Some(hit) if found.as_ref().is_none_or(|f| hit.sig == Sig::PhpTrace && f.sig == Sig::PhpOther) => found = Some(hit),
            _ => {}
        }
    }
    found
}

/// Does this signature say that the script ended?
pub(super) const fn is_fatal(sig: Sig) -> bool {
    matches!(sig, Sig::PhpFatal | Sig::PhpMemory | Sig::PhpTime)
}

/// Is this one message of PHP a fatal one?
pub(super) fn opens_fatal(piece: &[u8]) -> bool {
    one(piece).is_some_and(|hit| is_fatal(hit.sig))
}

fn is_no_script(piece: &[u8]) -> bool {
    piece.starts_with(b"Primary script unknown")
}

fn one(piece: &[u8]) -> Option<SigHit> {
    if let Some(fatal) = FATAL.as_ref().and_then(|r| r.find(piece)) {
        let rest = piece.get(fatal.end()..).unwrap_or_default();
        for (regex, sig) in [(&MEMORY, Sig::PhpMemory), (&TIME, Sig::PhpTime)] {
            if let Some(groups) = regex.as_ref().and_then(|r| r.captures(rest)) {
                return Some(SigHit { num: groups.get(1).and_then(|g| number(g.as_bytes())), ..bare(sig) });
            }
        }
        return Some(bare(Sig::PhpFatal));
    }
    if piece.starts_with(b"zend_mm_heap corrupted") {
        return Some(bare(Sig::PhpFatal));
    }
    if is(&TRACE, piece) {
        return Some(bare(Sig::PhpTrace));
    }
    is(&OTHER, piece).then(|| bare(Sig::PhpOther))
}

/// Cuts a text into PHP's messages. True: the message was marked as one by the FastCGI layer.
///
/// A mark counts at the start, after `; ` (how PHP joins messages of one request), and after a
/// line break in any of its spellings.
pub(super) fn pieces(text: &[u8]) -> Vec<(&[u8], bool)> {
    let text = text.trim_ascii_start();
    let text = match CHILD_LEVEL.as_ref().and_then(|r| r.find(text)) {
        Some(level) => text.get(level.end()..).unwrap_or_default(),
        None => text,
    };
    let mut starts: Vec<usize> = Vec::new();
    for at in memchr::memmem::find_iter(text, MARK) {
        let before = text.get(..at).unwrap_or_default();
        if before.is_empty() || [&b"; "[..], b"\n", b"\\n", b"#012"].iter().any(|end| before.ends_with(end)) {
            starts.push(at);
        }
    }
    if starts.is_empty() {
        return vec![(text, false)];
    }
    let mut out = Vec::with_capacity(starts.len() + 1);
    if starts.first() != Some(&0) {
        out.push((text.get(..starts.first().copied().unwrap_or(0)).unwrap_or_default(), false));
    }
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(text.len());
        out.push((text.get(start + MARK.len()..end).unwrap_or_default(), true));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for regex in [&CHILD_LEVEL, &FATAL, &MEMORY, &TIME, &OTHER, &TRACE] {
            assert!(regex.is_some());
        }
    }

    #[test]
    fn messages_of_one_request_are_told_apart() {
        let text = b"PHP message: PHP Warning:  a in /x.php on line 3; PHP message: PHP Warning:  b in /x.php on line 4";
        let cut = pieces(text);
        assert_eq!(cut.len(), 2);
        assert_eq!(cut.first().map(|p| p.0), Some(&b"PHP Warning:  a in /x.php on line 3; "[..]));
        assert_eq!(signature(text).map(|h| h.sig), Some(Sig::PhpOther));
    }

    #[test]
    fn a_fatal_after_warnings_decides() {
        let text = b"PHP message: PHP Warning:  a in /x.php on line 3\nPHP message: PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /x.php on line 9";
        let hit = signature(text);
        assert_eq!(hit.as_ref().map(|h| h.sig), Some(Sig::PhpMemory));
        assert_eq!(hit.and_then(|h| h.num), Some(134_217_728));
    }

    #[test]
    fn a_fatal_quoted_by_a_warning_is_none() {
        let text = b"PHP message: PHP Warning:  Undefined array key \"PHP Fatal error:  Allowed memory size of 1 bytes exhausted\" in /x.php on line 3";
        assert_eq!(signature(text).map(|h| h.sig), Some(Sig::PhpOther));
    }

    #[test]
    fn text_without_any_mark_is_none() {
        assert_eq!(signature(b"Primary script unknown"), None);
        assert_eq!(signature(b"PHP message: Primary script unknown"), None);
        assert_eq!(signature(b"in /var/www/x.php on line 3"), None);
    }
}
