//! `name=value`, `name: value` and `"name":"value"`, wherever they stand.

use super::names::{Speaks, speaks};
use super::{MASK, cover};
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Quotes as logs write them; nginx escapes `"` as `\x22`, JSON inside JSON as `\"`.
const QUOTES: [&str; 6] = ["\\x22", "\\x27", "\\\"", "%22", "\"", "'"];
/// Longest name looked at, in bytes.
const NAME: usize = 200;

/// What ModSecurity writes before what it matched.
const VALUE: &str = "(Value: `";
const FOUND: &str = "found within ";
static VALUES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(VALUE));
static FOUNDS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(FOUND));

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equals,
    /// `=` of a query inside a query.
    Encoded,
    Colon,
}

/// Masks the values of names that speak. `None`: nothing to mask.
pub fn values(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut floor = 0;
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr3(b'=', b':', b'%', rest)) {
        at += next;
        let Some(&byte) = bytes.get(at) else { break };
        let (sign, mut len) = match byte {
            b'=' => (Sign::Equals, 1),
            b':' => (Sign::Colon, 1),
            b'%' if text.get(at + 1..at + 3).is_some_and(|hex| hex.eq_ignore_ascii_case("3d")) => (Sign::Encoded, 3),
            _ => {
                at += 1;
                continue;
            }
        };
        if sign == Sign::Equals && bytes.get(at + 1) == Some(&b'>') {
            len = 2;
        }
        if let Some((from, to)) =
            name_before(text, floor, at, sign).and_then(|(name, quoted)| value_after(text, at + len, sign, name, quoted))
            && to > from
            && text.get(from..to) != Some(MASK)
        {
            ranges.push((from, to));
            floor = to;
            at = to;
            continue;
        }
        at += len;
    }
    // ModSecurity repeats what it matched: (Value: `…' ) and [data "… found within ARGS:x: …"].
    for (marks, mark, end) in [(&*VALUES, VALUE, "' )"), (&*FOUNDS, FOUND, "\"")] {
        for start in marks.find_iter(bytes) {
            let mut from = start + mark.len();
            let rest = text.get(from..).unwrap_or_default();
            let to = from + rest.find(end).unwrap_or(rest.len());
            if mark == FOUND {
                match text.get(from..to).and_then(|found| found.find(": ")) {
                    Some(colon) => from += colon + 2,
                    None => continue,
                }
            }
            if to > from {
                ranges.retain(|&(a, b)| b <= from || a >= to);
                ranges.push((from, to));
            }
        }
    }
    ranges.sort_unstable();
    let mut last = 0;
    ranges.retain(|&(from, to)| {
        let keep = from >= last;
        if keep {
            last = to;
        }
        keep
    });
    cover(text, &ranges)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'$' | b'%')
}

/// The name that ends before a sign, and whether it stood in quotes.
fn name_before(text: &str, floor: usize, sign_at: usize, sign: Sign) -> Option<(&str, bool)> {
    let bytes = text.as_bytes();
    let mut end = sign_at;
    if sign != Sign::Encoded {
        while end > floor && sign_at - end < 2 && bytes.get(end - 1) == Some(&b' ') {
            end -= 1;
        }
    }
    let mut quoted = false;
    let before = text.get(floor..end)?;
    let before = before.strip_suffix(']').filter(|b| QUOTES.iter().any(|q| b.ends_with(q))).unwrap_or(before);
    let mut stripped = before;
    for quote in QUOTES {
        if let Some(inner) = before.strip_suffix(quote) {
            quoted = true;
            stripped = inner;
            break;
        }
    }
    let tail = stripped.as_bytes();
    let mut start = tail.len();
    while start > 0 && tail.len() - start < NAME && tail.get(start - 1).copied().is_some_and(is_name) {
        start -= 1;
    }
    let mut name = stripped.get(start..)?;
    // An escape before the name is not part of it: \x22token\x22.
    if start > 0 && tail.get(start - 1) == Some(&b'\\') {
        name = name.strip_prefix("x22").or_else(|| name.strip_prefix("x27")).unwrap_or(name);
    }
    if name.is_empty() {
        return None;
    }
    if sign == Sign::Colon && !quoted {
        // `auth.php:12`, `Auth::login`, `/session: Permission denied` are no headers.
        let before = start.checked_sub(1).and_then(|i| tail.get(i));
        if name.contains('.') || before.is_some_and(|b| matches!(b, b'/' | b'.' | b'\\' | b':')) {
            return None;
        }
    }
    Some((name, quoted))
}

/// Where the secret of a name begins and ends.
fn value_after(text: &str, after: usize, sign: Sign, name: &str, quoted: bool) -> Option<(usize, usize)> {
    let speaks = speaks(name);
    if speaks == Speaks::No {
        return None;
    }
    let rest = text.get(after..)?;
    let blanks = if sign == Sign::Encoded { 0 } else { rest.len() - rest.trim_start_matches(' ').len() };
    let from = after + blanks;
    let value = text.get(from..)?;
    // A list, as Caddy writes headers.
    if quoted && value.starts_with('[') {
        return Some((from + 1, from + value.find(']').unwrap_or(value.len())));
    }
    for quote in QUOTES {
        if let Some(inner) = value.strip_prefix(quote) {
            return Some((from + quote.len(), from + quote.len() + closing(inner, quote)));
        }
    }
    let len = match (sign, speaks) {
        // `name:value` without a blank is something else (`Class::method`, a time, a port).
        (Sign::Colon, _) if blanks == 0 && !quoted && (speaks != Speaks::Header || value.starts_with(':')) => return None,
        (Sign::Colon, Speaks::Header) => line_end(value),
        (Sign::Colon, _) => words(value, |c| matches!(c, ',' | ';' | ')' | ']' | '}' | '"' | '\'')),
        (Sign::Equals, Speaks::Header) if name.to_ascii_lowercase().ends_with("authorization") => {
            words(value, |c| matches!(c, '&' | ';' | '"' | '\'' | '<' | '>'))
        }
        (Sign::Equals, _) if blanks > 0 => words(value, |c| matches!(c, ',' | ';' | '"' | '\'' | '<' | '>')),
        (Sign::Equals, _) => word(value, |c| matches!(c, '&' | ';' | '"' | '\'' | '<' | '>' | '`')),
        (Sign::Encoded, _) => {
            let len = word(value, |c| matches!(c, '&' | ';' | '"' | '\'' | '<' | '>'));
            value.get(..len).and_then(|v| v.find("%26")).unwrap_or(len)
        }
    };
    Some((from, from + len))
}

/// Length up to the closing quote; a quote after a backslash is part of the value.
fn closing(inner: &str, quote: &str) -> usize {
    let mut from = 0;
    while let Some(at) = inner.get(from..).and_then(|rest| rest.find(quote)).map(|at| at + from) {
        if quote.len() > 1 || at == 0 || inner.as_bytes().get(at - 1) != Some(&b'\\') {
            return at;
        }
        from = at + 1;
    }
    inner.len()
}

/// Length of one word.
fn word(value: &str, stop: impl Fn(char) -> bool) -> usize {
    let len = value.find(|c: char| c.is_whitespace() || stop(c)).unwrap_or(value.len());
    // An escaped quote ends it, too: {\"uri\":\"/?token=abc\"}.
    let escaped = value.get(..len).and_then(|v| ["\\x22", "\\x27", "\\\"", "\\n", "\\r"].iter().filter_map(|q| v.find(q)).min());
    match escaped {
        Some(at) => at,
        None => value
            .get(..len)
            .filter(|v| v.ends_with('\\') && value.get(len..).is_some_and(|r| r.starts_with(['"', '\''])))
            .map_or(len, |v| v.len() - 1),
    }
}

/// Length of one word, or of two when the first names a scheme: `Bearer abc`.
fn words(value: &str, stop: impl Fn(char) -> bool) -> usize {
    let first = word(value, &stop);
    let scheme = value.get(..first).unwrap_or_default().to_ascii_lowercase();
    if !matches!(scheme.as_str(), "bearer" | "basic" | "digest" | "token" | "negotiate" | "apikey") {
        return first;
    }
    let Some(rest) = value.get(first..) else { return first };
    let blanks = rest.len() - rest.trim_start_matches(' ').len();
    first + blanks + rest.get(blanks..).map_or(0, |second| word(second, stop))
}

/// Length of the rest of a header.
fn line_end(value: &str) -> usize {
    let ends = ["\n", "\r", "\"", "\\n", "\\r", "\\x0", "\\\"", "\\x22"];
    ends.iter().filter_map(|end| value.find(end)).min().unwrap_or(value.len())
}
