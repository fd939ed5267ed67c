//! The outline of a line: what stands before the time, the request, status, size, and the rest.

use crate::fields::text::closing_quote;
use crate::fields::time::{clf_time, iso_time};
use crate::spec::LineError;
use cfray_model::LogTime;
use memchr::{memchr, memchr2, memrchr};

/// Most words before the time that are looked at.
const HEAD: usize = 5;

/// A line cut into its parts; nothing is interpreted yet.
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a> {
    words: [&'a [u8]; HEAD],
    word_count: usize,
    /// The time.
    pub time: LogTime,
    /// A word between time and request, or empty.
    pub between: &'a [u8],
    /// Inside of the quotes.
    pub request: &'a [u8],
    /// Three digits or `-`.
    pub status: &'a [u8],
    /// Digits or `-`; empty when the line has no size.
    pub size: &'a [u8],
    /// What follows the size.
    pub tail: &'a [u8],
}

impl<'a> Shape<'a> {
    /// The first words before the time.
    pub fn head(&self) -> &[&'a [u8]] {
        self.words.get(..self.word_count).unwrap_or_default()
    }
}

/// Cuts a line.
pub fn split(line: &[u8]) -> Result<Shape<'_>, LineError> {
    const NO_TIME: LineError = LineError::new("no `[dd/Mon/yyyy:hh:mm:ss +zzzz]` before the request", 0);
    // No field before the request can hold a quote (Apache writes `""` for an empty user, hence
    // the loop), so the last bracket before the first quote opens the time: a user name that
    // contains a whole forged time stands before it.
    let mut from = 0;
    for _ in 0..3 {
        let Some(quote) = memchr(b'"', line.get(from..).unwrap_or_default()).map(|at| from + at) else { return Err(NO_TIME) };
        let before = line.get(..quote).unwrap_or_default();
        if let Some(open) = memrchr(b'[', before)
            && let Some((rest, time)) = bracketed(before.get(open + 1..).unwrap_or_default())
        {
            let after = line.len() - quote + (rest.len() - 1);
            let after = line.get(line.len() - after..).unwrap_or_default();
            return finish(line, before.get(..open).unwrap_or_default(), time, after);
        }
        from = quote + 1;
    }
    // `$time_iso8601` without brackets, as the first word.
    if let Ok((rest, time)) = iso_time(line)
        && rest.first().is_some_and(|&b| blank(b))
    {
        return finish(line, b"", time, rest);
    }
    Err(NO_TIME)
}

/// The inside of the time's brackets, up to its closing one: `$time_local`, `$time_iso8601` or Apache's
/// `[%{%Y-%m-%dT%H:%M:%S%z}t]`.
fn bracketed(text: &[u8]) -> Option<(&[u8], LogTime)> {
    let (rest, time) = clf_time(text).or_else(|_| iso_time(text)).ok()?;
    (rest.first() == Some(&b']')).then_some((rest, time))
}

/// What stands between two fields.
const fn blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

/// `head` is what stands before the time's bracket, `rest` what stands after it.
fn finish<'a>(line: &'a [u8], head: &'a [u8], time: LogTime, rest: &'a [u8]) -> Result<Shape<'a>, LineError> {
    // The time may come first: then what is written before the request elsewhere stands behind it.
    let first = head.trim_ascii().is_empty();
    let (head, rest) = match memchr(b'"', rest) {
        Some(quote) if first => (rest.get(..quote).unwrap_or_default(), rest.get(quote..).unwrap_or_default()),
        _ => (head, rest),
    };
    let mut words: [&[u8]; HEAD] = [b""; HEAD];
    let mut word_count = 0;
    for word in head.split(|&b| blank(b)).filter(|w| !w.is_empty() && *w != b"|").take(HEAD) {
        if let Some(slot) = words.get_mut(word_count) {
            *slot = word;
            word_count += 1;
        }
    }
    let at = |rest: &[u8]| line.len() - rest.len();
    let mut rest = rest.trim_ascii_start();
    let mut between: &[u8] = b"";
    // At most one word is passed over, whether it is empty or not.
    let mut passed = false;
    let request = loop {
        let Some(body) = rest.strip_prefix(b"\"") else {
            if std::mem::replace(&mut passed, true) {
                return Err(LineError::new("no quoted request after the time", at(rest)));
            }
            let end = memchr2(b' ', b'\t', rest).unwrap_or(rest.len());
            between = rest.get(..end).unwrap_or_default();
            rest = rest.get(end..).unwrap_or_default().trim_ascii_start();
            continue;
        };
        let Some(end) = request_end(body) else { return Err(LineError::new("the request's quote is not closed", at(rest))) };
        let value = body.get(..end).unwrap_or_default();
        rest = body.get(end + 1..).unwrap_or_default().trim_ascii_start();
        if !passed && rest.first() == Some(&b'"') {
            passed = true;
            between = value;
            continue;
        }
        break value;
    };
    let (status, after) = word(rest);
    let is_status = status == b"-" || (status.len() == 3 && status.iter().all(u8::is_ascii_digit));
    if !is_status {
        return Err(LineError::new("no status after the request", at(rest)));
    }
    // mod_ssl's `ssl_request_log` (`%t %h %{SSL_PROTOCOL}x %{SSL_CIPHER}x "%r" %b`) ends in a size, not in a status.
    if first && after.is_empty() {
        return Err(LineError::new("a single number after the request: its size or its status", at(rest)));
    }
    let (size, tail) = word(after);
    let is_size = size == b"-" || (!size.is_empty() && size.iter().all(u8::is_ascii_digit));
    let (size, tail) = if is_size { (size, tail) } else { (&b""[..], after) };
    Ok(Shape { words, word_count, time, between, request, status, size, tail })
}

/// The closing quote of the request: with `escape=none` the request may hold quotes, so the one
/// that a status follows is preferred.
fn request_end(body: &[u8]) -> Option<usize> {
    let (mut first, mut first_word) = (None, None);
    let mut from = 0;
    while let Some(quote) = closing_quote(body, from) {
        match body.get(quote + 1..).unwrap_or_default() {
            [b' ' | b'\t', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', ..] | [b' ' | b'\t', b'-' | b'"', ..] => return Some(quote),
            [] | [b' ' | b'\t', ..] => first_word = first_word.or(Some(quote)),
            _ => {}
        }
        first = first.or(Some(quote));
        from = quote + 1;
    }
    first_word.or(first)
}

/// The next word and what follows it, without the spaces between.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr2(b' ', b'\t', text).unwrap_or(text.len());
    (text.get(..end).unwrap_or_default(), text.get(end..).unwrap_or_default().trim_ascii_start())
}
