//! Secrets never leave: not in a column, not in a quoted log line.
//!
//! Masked are the values of query parameters, cookies, headers and JSON members whose name speaks of
//! secrets; whole Cookie, Set-Cookie and Authorization headers; user and password in URLs; JSON Web
//! Tokens anywhere; arguments in stack frames; request bodies. What stands around them stays, so that
//! the line can still be found in the file.

mod frames;
mod names;
mod pairs;

use crate::RenderOptions;
use crate::redact::Pseudonyms;
use memchr::memmem::Finder;
use memchr::{memchr, memchr2, memchr3};
use std::borrow::Cow;
use std::sync::LazyLock;

/// A JSON Web Token's beginning. Every text of every row is asked for it: the search is set up once.
const TOKEN: &[u8] = b"eyJ";
static TOKENS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(TOKEN));
static AUTHORITIES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("://"));

/// What stands where a secret was.
pub const MASK: &str = "***";

/// Masks texts according to the options. Cheap to make, and the same text always gives the same.
#[derive(Debug)]
pub struct Masker {
    secrets: bool,
    pseudonyms: Option<Pseudonyms>,
}

impl Masker {
    /// For these options. With a redaction key secrets are masked whatever else is asked.
    pub fn new(options: &RenderOptions) -> Self {
        Self { secrets: options.show_secrets && options.redact.is_none(), pseudonyms: options.redact.map(Pseudonyms::new) }
    }

    /// A text that came from a log or from the command line.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let masked = if self.secrets { Cow::Borrowed(text) } else { mask(text) };
        self.pseudonyms(masked, true)
    }

    /// A text of our own that may quote an address: file names, advice.
    pub fn own<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.pseudonyms(Cow::Borrowed(text), false)
    }

    /// Does it put pseudonyms in place of addresses, wherever they stand?
    pub fn renames(&self) -> bool {
        self.pseudonyms.is_some()
    }

    /// A whole address.
    pub fn address<'a>(&self, address: &'a str) -> Cow<'a, str> {
        match &self.pseudonyms {
            Some(pseudonyms) if !address.is_empty() => Cow::Owned(pseudonyms.address(address)),
            _ => Cow::Borrowed(address),
        }
    }

    fn pseudonyms<'a>(&self, text: Cow<'a, str>, queries: bool) -> Cow<'a, str> {
        match &self.pseudonyms {
            None => text,
            Some(pseudonyms) => {
                let text = if queries { pseudonyms.queries(&text).map_or(text, Cow::Owned) } else { text };
                pseudonyms.addresses(&text).map_or(text, Cow::Owned)
            }
        }
    }
}

/// Masks every secret in a line, URI or other text.
pub fn mask(text: &str) -> Cow<'_, str> {
    if !may_hide(text) {
        return Cow::Borrowed(text);
    }
    let mut text = Cow::Borrowed(text);
    for pass in [audit_body, frames::arguments, userinfo, pairs::values, tokens] {
        if let Some(masked) = pass(&text) {
            text = Cow::Owned(masked);
        }
    }
    text
}

/// Does the text hold any of the bytes without which no pass finds anything: the sign behind a name, the
/// parenthesis of a call, the line break of an audit record, a token's beginning? Most fields do not.
fn may_hide(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr3(b'=', b':', b'%', bytes).is_some() || memchr2(b'(', b'\n', bytes).is_some() || TOKENS.find(bytes).is_some()
}

/// Puts [`MASK`] in place of ranges that are in order and do not overlap.
fn cover(text: &str, ranges: &[(usize, usize)]) -> Option<String> {
    if ranges.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    for &(from, to) in ranges {
        out.push_str(text.get(last..from)?);
        out.push_str(MASK);
        last = to;
    }
    out.push_str(text.get(last..)?);
    Some(out)
}

/// `https://user:password@host`.
fn userinfo(text: &str) -> Option<String> {
    let mut ranges = Vec::new();
    for at in AUTHORITIES.find_iter(text.as_bytes()) {
        let from = at + 3;
        let rest = text.get(from..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>')).unwrap_or(rest.len());
        if let Some(sign) = rest.get(..end).and_then(|authority| authority.rfind('@')).filter(|&sign| sign > 0) {
            ranges.push((from, from + sign));
        }
    }
    cover(text, &ranges)
}

/// JSON Web Tokens: three base64url parts, the first of which begins like `{"`.
fn tokens(text: &str) -> Option<String> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for at in TOKENS.find_iter(text.as_bytes()) {
        let rest = text.get(at..).unwrap_or_default();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '='))).unwrap_or(rest.len());
        let dots = rest.get(..end).map_or(0, |token| token.matches('.').count());
        if dots >= 1 && end > 12 && ranges.last().is_none_or(|&(_, last)| at >= last) {
            ranges.push((at, at + end));
        }
    }
    cover(text, &ranges)
}

/// Part C of a ModSecurity audit record is the request body; part I is the same without files.
fn audit_body(text: &str) -> Option<String> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    memchr(b'\n', text.as_bytes())?;
    for marker in ["-C--\n", "-I--\n"] {
        for (at, _) in text.match_indices(marker) {
            let from = at + marker.len();
            let rest = text.get(from..).unwrap_or_default();
            let end = if rest.starts_with("--") { 0 } else { rest.find("\n--").unwrap_or(rest.len()) };
            if end > 0 {
                ranges.push((from, from + end));
            }
        }
    }
    ranges.sort_unstable();
    cover(text, &ranges)
}

#[cfg(test)]
mod tests;
