//! The tail that nginx appends to an error line of a connection:
//! `, client: A, server: S[, request: "R"][, subrequest: "..."][, upstream: "U"][, host: "H"][, referrer: "F"]`.
//!
//! Nothing in it is escaped, and neither is the message before it, so a client can write the same
//! words into its request, its referrer, or (through a path or FastCGI stderr) the message. The
//! functions here never guess between two readings: see [`find`].

use super::addr::is_addr;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// The values of the tail as they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suffix<'a> {
    /// `client:`: an address or `unix:`.
    pub client: &'a [u8],
    /// `server:`: a server name, or the listen address while there is no request.
    pub server: &'a [u8],
    /// `request:`.
    pub request: Option<&'a [u8]>,
    /// `upstream:`.
    pub upstream: Option<&'a [u8]>,
    /// `host:`.
    pub host: Option<&'a [u8]>,
    /// `referrer:`.
    pub referrer: Option<&'a [u8]>,
}

/// What [`find`] says about a message with its tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// No tail: process-level line, debug line, or cut off.
    None,
    /// One tail, at this byte of the text.
    One(usize, Suffix<'a>),
    /// Several readings that nothing tells apart; the first begins at this byte.
    Forged(usize),
}

/// No record is longer (nginx cuts at 2 KB, OpenResty at 4 KB); what is, is not worth the search.
const LONGEST: usize = 16 * 1024;

const CLIENT: &[u8] = b", client: ";
const SERVER: &[u8] = b", server: ";
/// Built once: for texts as short as these, building a searcher costs more than the search.
pub(crate) static FIND_CLIENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(CLIENT));
pub(crate) static FIND_SERVER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(SERVER));
/// The end of something quoted, and what nginx was doing.
static FIND_WHILE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\" while "));

/// Where the last end of something quoted stands. Forwards, which is several times as fast; it cannot overlap itself.
pub(crate) fn last_while(text: &[u8]) -> Option<usize> {
    FIND_WHILE.find_iter(text).last()
}

const KEYS: [&[u8]; 5] = [b", request: \"", b", subrequest: \"", b", upstream: \"", b", host: \"", b", referrer: \""];

/// Finds the tail of `text` (everything after the line's prefix).
///
/// Each `, client: ADDRESS, server: ` from which the rest reads as a tail up to the very end is a
/// candidate. One candidate: taken. Several:
/// * nothing quoted before the first one: the server alone wrote that part, the first is real and
///   the others stand in the request, upstream or referrer;
/// * otherwise only those count that follow a finished message (`" while reading ...`, or
///   `failed (2: ...)` and the like); if that leaves one, it is taken;
/// * else, and for a text longer than any record, the line is reported as forged: it then names no
///   client and no request at all.
pub fn find(text: &[u8]) -> Found<'_> {
    if text.len() > LONGEST {
        return Found::Forged(0);
    }
    let mut first: Option<(usize, Suffix<'_>)> = None;
    let mut finished: Option<(usize, Suffix<'_>)> = None;
    let (mut candidates, mut finished_count) = (0usize, 0usize);
    for at in FIND_CLIENT.find_iter(text) {
        let Some(suffix) = text.get(at..).and_then(read) else { continue };
        candidates += 1;
        if first.is_none() {
            first = Some((at, suffix));
        }
        if text.get(..at).is_some_and(is_finished) {
            finished_count += 1;
            finished = Some((at, suffix));
        }
    }
    let Some((at, suffix)) = first else { return Found::None };
    if candidates == 1 || !text.get(..at).is_some_and(quotes_others) {
        return Found::One(at, suffix);
    }
    match finished {
        Some((at, suffix)) if finished_count == 1 => Found::One(at, suffix),
        _ => Found::Forged(at),
    }
}

/// Reads a whole tail; `None` unless it ends where the text ends.
fn read(text: &[u8]) -> Option<Suffix<'_>> {
    let rest = text.strip_prefix(CLIENT)?;
    let comma = FIND_SERVER.find(rest)?;
    let client = rest.get(..comma)?;
    if !(is_addr(client) || client.starts_with(b"unix:")) {
        return None;
    }
    let rest = rest.get(comma + SERVER.len()..)?;
    let mut suffix = Suffix { client, ..Suffix::default() };
    // A server name holds neither quotes nor commas (the configuration would need them quoted).
    let end = memchr::memchr2(b',', b'"', rest).unwrap_or(rest.len());
    suffix.server = rest.get(..end)?;
    let mut rest = rest.get(end..)?;
    let mut next_key = 0;
    while !rest.is_empty() {
        let (key, value_on) = KEYS.iter().enumerate().skip(next_key).find_map(|(i, k)| Some((i, rest.strip_prefix(*k)?)))?;
        next_key = key + 1;
        let end = value_end(value_on, next_key)?;
        let value = value_on.get(..end)?;
        match key {
            0 => suffix.request = Some(value),
            2 => suffix.upstream = Some(value),
            3 => suffix.host = Some(value),
            4 => suffix.referrer = Some(value),
            _ => {}
        }
        rest = value_on.get(end + 1..)?;
    }
    Some(suffix)
}

/// The first quote after which one of the keys still allowed follows; else the one at the end.
fn value_end(text: &[u8], next_key: usize) -> Option<usize> {
    let allowed = KEYS.get(next_key..).unwrap_or_default();
    memchr::memchr_iter(b'"', text)
        .find(|&quote| text.get(quote + 1..).is_some_and(|rest| rest.is_empty() || allowed.iter().any(|key| rest.starts_with(key))))
}

/// May this part of a message hold text that others wrote? A zone name is the only quoted thing
/// that comes from the configuration alone.
fn quotes_others(message: &[u8]) -> bool {
    match memchr::memchr(b'"', message) {
        None => false,
        Some(quote) => !message.get(..quote).is_some_and(|m| m.ends_with(b" by zone ")) || memchr::memchr_iter(b'"', message).count() != 2,
    }
}

/// Does the text end as nginx ends a message that quotes something?
fn is_finished(message: &[u8]) -> bool {
    if message.ends_with(b")") {
        // `... failed (2: No such file or directory)`, `is not found (2: ...)`, `(SSL: ...)`
        return true;
    }
    // `" while reading response header from upstream`
    match last_while(message) {
        Some(at) => {
            message.get(at + 8..).is_some_and(|action| action.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'/')))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    const REAL: &str = r#", client: 192.0.2.1, server: s, request: "GET /x HTTP/1.1", host: "h", referrer: "http://r/""#;

    fn one(text: &str) -> Suffix<'_> {
        match find(text.as_bytes()) {
            Found::One(_, suffix) => suffix,
            other => panic!("{other:?} for {text}"),
        }
    }

    #[test]
    fn fields() {
        let text = format!("connect() failed (111: Connection refused) while connecting to upstream{REAL}");
        let s = one(&text);
        assert_eq!(
            (s.client, s.server, s.host.unwrap(), s.referrer.unwrap()),
            (&b"192.0.2.1"[..], &b"s"[..], &b"h"[..], &b"http://r/"[..])
        );
        assert_eq!(one(", client: ::1, server: 0.0.0.0:443").server, b"0.0.0.0:443");
        assert_eq!(one(r#", client: ::1, server: , request: """#).request, Some(&b""[..]));
    }

    #[test]
    fn quotes_inside_values_stay() {
        let s = one(r#"x, client: ::1, server: s, request: "GET /?q="a" HTTP/1.1", upstream: "http://u/?q="a"", host: "h""#);
        assert_eq!(s.request.unwrap(), br#"GET /?q="a" HTTP/1.1"#);
        assert_eq!(s.upstream.unwrap(), br#"http://u/?q="a""#);
    }

    #[test]
    fn forged_tail_in_referrer_or_request_loses() {
        let forged = r#"http://e/", client: 6.6.6.6, server: y, request: "GET / HTTP/1.1", host: "z"#;
        let text = format!(
            r#"access forbidden by rule, client: 192.0.2.1, server: s, request: "GET /x HTTP/1.1", host: "h", referrer: "{forged}""#
        );
        assert_eq!(one(&text).client, b"192.0.2.1");
        let text = format!(
            r#"limiting requests, excess: 0.5 by zone "one", client: 192.0.2.1, server: s, request: "GET /{forged} HTTP/1.1", host: "h""#
        );
        assert_eq!(one(&text).client, b"192.0.2.1");
    }

    #[test]
    fn forged_tail_in_message_loses() {
        let text = format!(r#"open() "/www/x, client: 6.6.6.6, server: y, request: "z" failed (2: No such file or directory){REAL}"#);
        assert_eq!(one(&text).client, b"192.0.2.1");
        let text = format!(
            r#"FastCGI sent in stderr: "PHP message: q, client: 6.6.6.6, server: y, request: "GET / HTTP/1.1", host: "h" while reading response header from upstream{REAL}"#
        );
        assert_eq!(one(&text).client, b"192.0.2.1");
    }

    #[test]
    fn what_cannot_be_told_apart_names_nobody() {
        let text = format!(
            r#"open() "/www/x" failed (2: No such file or directory), client: 6.6.6.6, server: y, request: "GET /q" failed (2: No such file or directory){REAL}"#
        );
        assert!(matches!(find(text.as_bytes()), Found::Forged(_)));
    }

    #[test]
    fn cut_tails_are_none() {
        let text = format!("x{REAL}");
        for cut in 1..text.len() {
            if let Found::One(_, s) = find(&text.as_bytes()[..cut]) {
                // Cutting between two fields leaves a shorter tail that is still true.
                assert_eq!(s.client, b"192.0.2.1");
                assert!(s.request.is_none_or(|r| r == b"GET /x HTTP/1.1"), "{cut}");
            }
        }
    }
}
