//! The request line as access logs and error logs quote it.

use super::text::present;
use cfray_model::Line;
use std::borrow::Cow;

/// Parts of a request line. Bytes that are no request (TLS, `-`, nothing) have no part at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`.
    pub method: Option<&'a [u8]>,
    /// Target as logged.
    pub uri: Option<&'a [u8]>,
    /// `HTTP/1.1`; absent in HTTP/0.9 and in lines that were cut.
    pub protocol: Option<&'a [u8]>,
}

/// Splits `METHOD TARGET PROTOCOL`. The target may hold spaces.
pub fn split(text: &[u8]) -> Request<'_> {
    let none = Request::default();
    let Some(space) = memchr::memchr(b' ', text) else { return none };
    let (method, rest) = text.split_at(space);
    if method.is_empty() || method.len() > 32 || !method.iter().all(|b| b.is_ascii_alphabetic() || matches!(b, b'-' | b'_')) {
        return none;
    }
    let rest = rest.trim_ascii_start();
    let (uri, protocol) = match memchr::memrchr(b' ', rest) {
        Some(at) if rest.get(at + 1..).is_some_and(|p| p.starts_with(b"HTTP/")) => (rest.get(..at), rest.get(at + 1..)),
        _ if rest.starts_with(b"HTTP/") => (None, Some(rest)),
        _ => (Some(rest), None),
    };
    Request { method: Some(method), uri: uri.and_then(present), protocol }
}

/// Puts the parts of a request line into a record.
pub fn set<'a>(line: &mut Line<'a>, text: &'a [u8]) {
    let request = split(text);
    line.method = request.method.map(Cow::Borrowed);
    line.uri = request.uri.map(Cow::Borrowed);
    line.protocol = request.protocol.map(Cow::Borrowed);
}

/// The same for text that was unescaped.
pub fn set_cow<'a>(line: &mut Line<'a>, text: Cow<'a, [u8]>) {
    match text {
        Cow::Borrowed(text) => set(line, text),
        Cow::Owned(text) => {
            let request = split(&text);
            let own = |part: Option<&[u8]>| part.map(|p| Cow::Owned(p.to_vec()));
            (line.method, line.uri, line.protocol) = (own(request.method), own(request.uri), own(request.protocol));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let r = split(b"GET /a b?c HTTP/1.1");
        assert_eq!((r.method, r.uri, r.protocol), (Some(&b"GET"[..]), Some(&b"/a b?c"[..]), Some(&b"HTTP/1.1"[..])));
        let r = split(b"PRI * HTTP/2.0");
        assert_eq!((r.method, r.uri), (Some(&b"PRI"[..]), Some(&b"*"[..])));
        let r = split(b"GET /old");
        assert_eq!((r.uri, r.protocol), (Some(&b"/old"[..]), None));
    }

    #[test]
    fn garbage_has_no_parts() {
        for text in ["", "-", r"\x16\x03\x01 \x02", "GET", "\u{16}\u{3} x"] {
            assert_eq!(split(text.as_bytes()), Request::default(), "{text}");
        }
    }
}
