//! Arguments in stack frames: PHP prints what a function was called with.

use super::cover;

/// Masks the arguments of frames such as `#0 /srv/a.php(12): Db->login('joe', 'pw')` and Xdebug's
/// `3. login($user = 'joe') /srv/a.php:12`.
pub fn arguments(text: &str) -> Option<String> {
    let mut ranges = Vec::new();
    let mut from = 0;
    while let Some((open, end)) = next_frame(text, from) {
        let close = closing(text.get(open..end).unwrap_or_default()).map_or(end, |len| open + len);
        if close > open {
            ranges.push((open, close));
        }
        from = close.max(open + 1);
    }
    cover(text, &ranges)
}

/// The next frame at or after `from`: where its arguments begin, and where the frame ends at the latest.
fn next_frame(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'#', b'.', rest)) {
        at += next;
        let start = match bytes.get(at) {
            Some(b'#') => {
                number(text, at + 1).filter(|&n| bytes.get(n) == Some(&b' ')).map(|n| n + 1).and_then(|n| call_after_place(text, n))
            }
            Some(b'.') if at > 0 && bytes.get(at - 1).is_some_and(u8::is_ascii_digit) && bytes.get(at + 1) == Some(&b' ') => Some(at + 2),
            _ => None,
        };
        if let Some(open) = start.and_then(|start| call(text, start)) {
            let rest = text.get(open..).unwrap_or_default();
            let next = rest
                .match_indices('#')
                .map(|(i, _)| i)
                .find(|&i| number(rest, i + 1).is_some_and(|n| rest.as_bytes().get(n) == Some(&b' ')));
            let end = ["\n", "\\n", "\\x0A", "\" while "].iter().filter_map(|stop| rest.find(stop)).chain(next).min();
            return Some((open, open + end.unwrap_or(rest.len())));
        }
        at += 1;
    }
    None
}

/// Skips digits; `None` without any.
fn number(text: &str, from: usize) -> Option<usize> {
    let digits = text.get(from..)?.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then_some(from + digits)
}

/// Behind `/srv/a.php(12): ` or `[internal function]: `.
fn call_after_place(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let line = rest.get(..rest.find('\n').unwrap_or(rest.len()))?;
    let at = line.find("): ").map(|i| i + 3).into_iter().chain(line.find("]: ").map(|i| i + 3)).min()?;
    Some(from + at)
}

/// Behind the opening parenthesis of a call that begins here.
fn call(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let len =
        rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '\\' | ':' | '-' | '>' | '{' | '}' | '@' | '/' | '.' | '$')))?;
    (len > 0 && rest.as_bytes().get(len) == Some(&b'(')).then_some(from + len + 1)
}

/// Length of the arguments: up to the parenthesis that closes the call. PHP does not escape quotes in
/// strings, so one ends only where a comma, a parenthesis or its dots follow.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote) = (0usize, false);
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'\'' if !quote => quote = true,
            b'\'' if matches!(bytes.get(at + 1), Some(b',' | b')' | b']') | None) => quote = false,
            b'(' if !quote => depth += 1,
            b')' if !quote && depth == 0 => return Some(at),
            b')' if !quote => depth -= 1,
            _ => {}
        }
    }
    None
}
