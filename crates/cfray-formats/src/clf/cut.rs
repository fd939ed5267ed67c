//! A whole line of an unknown `log_format` cut into fields, whatever keeps them apart.

use super::tokens::{Kind, Token, is_key, quoted};
use crate::access::names::role_of_name;
use crate::fields::addr::{is_addr, split_port};
use crate::fields::text::closing_quote;
use crate::fields::time::{clf_time, iso_time, nginx_error_time};
use memchr::{memchr, memchr2, memmem};

/// What keeps fields apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Spaces, outside of quotes and brackets.
    Blank,
    /// One byte: tab (LTSV), `|`, `^`, `~`, `;`, `,`.
    Byte(u8),
}

/// All ways, the strictest first.
pub const CUTS: [Cut; 7] =
    [Cut::Byte(b'\t'), Cut::Byte(b'|'), Cut::Byte(b'^'), Cut::Byte(b'~'), Cut::Byte(b';'), Cut::Byte(b','), Cut::Blank];

/// A format with more fields is not read.
pub const MOST: usize = 48;

/// The fields of a line; `None` when there are too many.
pub fn fields(line: &[u8], cut: Cut) -> Option<Vec<Token<'_>>> {
    let mut out = Vec::with_capacity(16);
    let mut rest = line.trim_ascii();
    while !rest.is_empty() {
        if out.len() == MOST {
            return None;
        }
        let (token, after) = match cut {
            Cut::Blank => next(rest),
            Cut::Byte(byte) => next_until(rest, byte),
        };
        out.push(token);
        rest = if cut == Cut::Blank { after.trim_ascii_start() } else { after };
    }
    Some(out)
}

const fn token<'a>(kind: Kind, key: Option<&'a [u8]>, value: &'a [u8]) -> Token<'a> {
    Token { kind, key, value }
}

/// The next field of a line cut at spaces.
fn next(text: &[u8]) -> (Token<'_>, &[u8]) {
    match name(text) {
        Some((key, value)) => valued(value, Some(key)),
        None => valued(text, None),
    }
}

/// `name=`, `name:` or `name: ` in front of a value. A colon stands in addresses, times and ports, too, so it only ends a
/// name that access logs are known to use.
pub(super) fn name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr2(b'=', b':', text.get(..40.min(text.len()))?)?;
    let (key, value) = (text.get(..at)?, text.get(at + 1..)?);
    if !is_key(key) || !key.first().is_some_and(u8::is_ascii_alphabetic) {
        return None;
    }
    if text.get(at) == Some(&b'=') {
        return Some((key, value));
    }
    let known = key.len() > 1 && role_of_name(key).is_some();
    known.then(|| (key, value.strip_prefix(b" ").unwrap_or(value)))
}

fn valued<'a>(text: &'a [u8], key: Option<&'a [u8]>) -> (Token<'a>, &'a [u8]) {
    let inside = |close: u8| {
        let end = 1 + memchr(close, text.get(1..)?)?;
        let after = text.get(end + 1..)?;
        matches!(after, [] | [b' ' | b'\t' | b',', ..]).then(|| (text.get(1..end).unwrap_or_default(), trail(after)))
    };
    let bracketed = match text.first() {
        Some(b'"') => return quoted(text, key),
        Some(b'\'') => return inside(b'\'').map_or_else(|| bare(text, key), |(value, after)| (token(Kind::Quoted, key, value), after)),
        Some(b'[') => inside(b']'),
        Some(b'(') => inside(b')'),
        Some(b'<') => inside(b'>'),
        Some(b'{') => inside(b'}'),
        _ => None,
    };
    match bracketed {
        Some((value, after)) => (token(Kind::Bracketed, key, value), after),
        None => bare(text, key),
    }
}

/// A comma between fields belongs to neither.
fn trail(after: &[u8]) -> &[u8] {
    after.strip_prefix(b",").unwrap_or(after)
}

fn bare<'a>(text: &'a [u8], key: Option<&'a [u8]>) -> (Token<'a>, &'a [u8]) {
    let end = time(text).or_else(|| request(text)).unwrap_or_else(|| word(text));
    let (value, after) = text.split_at(end);
    match value.strip_suffix(b",") {
        Some(value) => (token(Kind::Bare, key, value), after),
        None => (token(Kind::Bare, key, value), trail(after)),
    }
}

/// Length of a time that holds a space.
fn time(text: &[u8]) -> Option<usize> {
    let parsed = match text {
        [_, _, b'/', ..] => clf_time(text),
        [_, _, _, _, b'-', ..] => iso_time(text),
        [_, _, _, _, b'/', ..] => nginx_error_time(text),
        _ => return None,
    };
    let (rest, _) = parsed.ok()?;
    matches!(rest, [] | [b' ' | b'\t' | b',', ..]).then(|| text.len() - rest.len())
}

/// Length of a request line without quotes: no space may stand in its target.
fn request(text: &[u8]) -> Option<usize> {
    let method = text.iter().take(20).take_while(|b| b.is_ascii_uppercase()).count();
    let rest = text.get(method..).filter(|_| method >= 3)?.strip_prefix(b" ")?;
    let target = memchr(b' ', rest)?;
    let version = rest.get(target + 1..)?;
    let length = version.iter().take(9).take_while(|b| !b.is_ascii_whitespace() && **b != b',').count();
    (target > 0 && version.starts_with(b"HTTP/") && length <= 8).then_some(method + 1 + target + 1 + length)
}

/// Length of a word; what nginx writes as a list (`0.1, 0.2 : 0.3`, `10.0.0.1:80, 10.0.0.2:80`) is one.
fn word(text: &[u8]) -> usize {
    let until = |from: usize| from + memchr2(b' ', b'\t', text.get(from..).unwrap_or_default()).unwrap_or(text.len() - from);
    let item = |word: &[u8]| {
        let word = word.strip_suffix(b",").unwrap_or(word);
        word == b"-"
            || word.starts_with(b"unix:")
            || is_addr(split_port(word))
            || !word.is_empty() && word.iter().all(|b| b.is_ascii_digit() || *b == b'.')
    };
    let mut end = until(0);
    let mut start = 0;
    loop {
        let said = text.get(start..end).unwrap_or_default();
        let next = match text.get(end..) {
            Some([b' ', b':', b' ', ..]) => end + 3,
            Some([b' ', ..]) if said.ends_with(b",") => end + 1,
            _ => return end,
        };
        let to = until(next);
        if !item(said) || !text.get(next..to).is_some_and(item) {
            return end;
        }
        (start, end) = (next, to);
    }
}

/// The field up to a separator, and what follows that.
fn next_until(text: &[u8], separator: u8) -> (Token<'_>, &[u8]) {
    let start = text.len() - text.iter().skip_while(|b| **b == b' ').count();
    let inner = text.get(start..).unwrap_or_default();
    let (key, value) = match memchr2(b'=', b':', inner.get(..inner.len().min(40)).unwrap_or_default()) {
        Some(at) if labelled(inner, at, separator) => (inner.get(..at), inner.get(at + 1..).unwrap_or_default()),
        _ => (None, inner),
    };
    if let Some(body) = value.strip_prefix(b"\"") {
        let mut from = 0;
        while let Some(end) = closing_quote(body, from) {
            let after = body.get(end + 1..).unwrap_or_default().trim_ascii_start();
            if after.is_empty() || after.first() == Some(&separator) {
                return (token(Kind::Quoted, key, body.get(..end).unwrap_or_default()), after.get(1..).unwrap_or_default());
            }
            from = end + 1;
        }
    }
    let end = memchr(separator, value).unwrap_or(value.len());
    let (field, after) = (value.get(..end).unwrap_or_default().trim_ascii(), value.get(end + 1..).unwrap_or_default());
    match field.strip_prefix(b"[").and_then(|f| f.strip_suffix(b"]")) {
        Some(inside) => (token(Kind::Bracketed, key, inside), after),
        None => (token(Kind::Bare, key, field), after),
    }
}

/// Is what stands before the sign at `at` the label of a field (LTSV: `label:value`)?
fn labelled(text: &[u8], at: usize, separator: u8) -> bool {
    let (key, value) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
    let value = value.get(..memchr(separator, value).unwrap_or(value.len())).unwrap_or_default();
    let whole = text.get(..at + 1 + value.len()).unwrap_or_default();
    is_key(key)
        && key.first().is_some_and(u8::is_ascii_alphabetic)
        && (role_of_name(key).is_some()
            || !(memchr(b'.', key).is_some()
                || memmem::find(value, b"//").is_some_and(|found| found == 0)
                || key == b"unix"
                || is_addr(whole)
                || (!value.is_empty() && value.iter().all(u8::is_ascii_digit))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, cut: Cut) -> Vec<(Option<String>, String)> {
        let say = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        fields(text.as_bytes(), cut).unwrap_or_default().iter().map(|t| (t.key.map(say), say(t.value))).collect()
    }

    #[test]
    fn fields_with_spaces_inside() {
        let text = "22/Nov/2026:12:30:52 +0000 203.0.113.7 - GET /a?b=c HTTP/1.1 200 [9f-FRA] rt=0.1, 0.2 up: \"a b\" status: 404 10.0.0.1:80, 10.0.0.2:80 (x y)";
        let values: Vec<String> = read(text, Cut::Blank).into_iter().map(|(k, v)| k.map_or(v.clone(), |k| format!("{k}>{v}"))).collect();
        assert_eq!(
            values,
            [
                "22/Nov/2026:12:30:52 +0000",
                "203.0.113.7",
                "-",
                "GET /a?b=c HTTP/1.1",
                "200",
                "9f-FRA",
                "rt>0.1, 0.2",
                "up:",
                "a b",
                "status>404",
                "10.0.0.1:80, 10.0.0.2:80",
                "x y"
            ]
        );
    }

    #[test]
    fn labels_and_what_only_looks_like_one() {
        let text = "time:2026-11-22T12:30:52+00:00\thost:203.0.113.7\tapptime:0.1\tfe80::1\twww.example.org:443\tunix:/run/x.sock\thttps://e/\tsite:443";
        let read = read(text, Cut::Byte(b'\t'));
        let keys: Vec<&str> = read.iter().map(|(k, _)| k.as_deref().unwrap_or("-")).collect();
        assert_eq!(keys, ["time", "host", "apptime", "-", "-", "-", "-", "site"]);
        assert_eq!(read[3].1, "fe80::1");
        assert_eq!(self::read("a|\"b|c\" | [d]|", Cut::Byte(b'|')).iter().map(|(_, v)| v.as_str()).collect::<Vec<_>>(), ["a", "b|c", "d"]);
    }
}
