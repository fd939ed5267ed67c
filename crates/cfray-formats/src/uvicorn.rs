//! uvicorn's lines as it prints them: `INFO:     172.70.240.118:44803 - "GET /cart?id=7 HTTP/1.1" 200 OK`, with no time of their
//! own. Inside a container's or a service's log the wrapper's stamp is theirs; in a bare file they have none, and then they
//! neither prove nor disprove anything by time.

use crate::fields::{addr, request};
use crate::signatures::request_of_exception;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{level, score};
use cfray_model::{Line, LineKind, Stack};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "uvicorn",
    title: "uvicorn log",
    docs: "https://www.uvicorn.org/settings/#logging; encode/uvicorn uvicorn/logging.py, uvicorn/config.py",
    stack: Stack::App,
    detect,
    samples: &[
        "INFO:     Uvicorn running on http://0.0.0.0:80 (Press CTRL+C to quit)",
        r#"INFO:     172.70.240.118:44803 - "GET /v1/search?term=care%20guide HTTP/1.1" 200 OK"#,
        r#"INFO:     172.70.240.118:0 - "POST /oauth/token HTTP/1.1" 401 Unauthorized"#,
        "WARNING:  Invalid HTTP request received.",
    ],
};

/// Parser of uvicorn's lines.
#[derive(Debug)]
struct Uvicorn;

impl RecordParser for Uvicorn {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        prefixed(line).is_some() || access(line).is_some()
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        if let Some(line) = access(record) {
            return Ok(line);
        }
        let (word, _) = prefixed(record).ok_or(LineError::new("no level such as `INFO:     ` at the start of the line", 0))?;
        let mut line = Line::new(LineKind::Other, Stack::App);
        line.level = level(word);
        line.message = Cow::Borrowed(record);
        line.raw_text = true;
        if request_of_exception(record).is_some() {
            crate::app::name_request(&mut line, record);
        }
        Ok(line)
    }
}

/// `LEVEL:` and blanks up to the tenth column (`DefaultFormatter` in uvicorn/logging.py).
fn prefixed(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line.get(..9.min(line.len()))?)?;
    let (word, rest) = (line.get(..colon)?, line.get(colon + 1..)?);
    let padded = rest.starts_with(b" ") && word.iter().all(u8::is_ascii_uppercase) && level(word).is_some();
    let text = rest.trim_ascii_start();
    (padded && colon + 1 + (rest.len() - text.len()) == 10).then_some((word, text))
}

/// `ADDRESS:PORT - "METHOD TARGET HTTP/1.1" STATUS PHRASE`; under gunicorn without level and phrase.
fn access(line: &[u8]) -> Option<Line<'_>> {
    let (word, text) = prefixed(line).map_or((None, line), |(word, text)| (Some(word), text));
    let end = memchr::memchr(b' ', text)?;
    let (peer, rest) = (text.get(..end)?, text.get(end..)?.strip_prefix(b" - \"")?);
    let client = addr::split_port(peer);
    // The target is quoted by uvicorn itself, so that no quote is the client's.
    let close = memchr::memchr(b'"', rest)?;
    let (target, after) = (rest.get(..close)?, rest.get(close + 1..)?.strip_prefix(b" ")?);
    let status = after.get(..3)?;
    let phrase = after.get(3..)?;
    let known = request::split(target);
    let whole = known.protocol.is_some() && known.uri.is_some() && status.iter().all(u8::is_ascii_digit);
    if !whole || client.len() == peer.len() || !addr::is_addr(client) || !(phrase.is_empty() || phrase.starts_with(b" ")) {
        return None;
    }
    let mut line = Line::new(LineKind::Access, Stack::App);
    line.level = word.and_then(level);
    line.client = Some(Cow::Borrowed(client));
    line.status = std::str::from_utf8(status).ok()?.parse().ok();
    request::set(&mut line, target);
    Some(line)
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let total = u32::try_from(sample.lines.len()).ok()?;
    let good = u32::try_from(sample.lines.iter().filter(|l| Uvicorn.starts_record(l)).count()).ok()?;
    let own = |l: &&&[u8]| access(l).is_some() || prefixed(l).is_some_and(|(_, text)| OWN.iter().any(|word| text.starts_with(word)));
    let requests = sample.lines.iter().filter(own).count();
    if requests == 0 || good * 4 < total {
        return None;
    }
    let why = format!("{requests} of {total} sampled lines are uvicorn's own, without a time");
    Some(Detection { score: 500 + score(400, good, total), why, parser: Box::new(Uvicorn) })
}

/// What uvicorn says of itself (uvicorn/server.py, uvicorn/protocols/http).
const OWN: &[&[u8]] = &[b"Uvicorn running on ", b"Started server process [", b"Invalid HTTP request received."];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cfray_model::Sig;
    use proptest::prelude::*;

    #[test]
    fn a_request() {
        let line = Uvicorn.parse(FORMAT.samples.get(1).unwrap().as_bytes()).unwrap();
        assert_eq!((line.kind, line.stack, line.status, line.time), (LineKind::Access, Stack::App, Some(200), None));
        assert_eq!((line.method.as_deref(), line.client.as_deref()), (Some(&b"GET"[..]), Some(&b"172.70.240.118"[..])));
        assert_eq!(line.uri.as_deref(), Some(&b"/v1/search?term=care%20guide"[..]));
        let bare = Uvicorn.parse(br#"[2001:db8::1]:4711 - "GET / HTTP/1.1" 404"#).unwrap();
        assert_eq!((bare.status, bare.client.as_deref()), (Some(404), Some(&b"2001:db8::1"[..])));
    }

    #[test]
    fn its_other_lines() {
        let line = Uvicorn.parse(FORMAT.samples.first().unwrap().as_bytes()).unwrap();
        assert_eq!(crate::signature(&line).map(|h| h.sig), Some(Sig::AppListening));
        let line = Uvicorn.parse(FORMAT.samples.get(3).unwrap().as_bytes()).unwrap();
        assert_eq!((line.kind, line.level), (LineKind::Other, Some(cfray_model::Level::Warn)));
    }

    #[test]
    fn what_only_resembles_it() {
        for text in [
            r#"INFO:     172.70.240.118 - "GET / HTTP/1.1" 200 OK"#,
            r#"INFO:     172.70.240.118:1 - "GET / HTTP/1.1" 20x OK"#,
            r#"INFO:     172.70.240.118:1 - "GET /" 200 OK"#,
            r#"INFO:     worker 7 - "GET / HTTP/1.1" 200 OK"#,
        ] {
            assert!(access(text.as_bytes()).is_none(), "{text}");
        }
        assert!(detect(&Sample::from_bytes(b"INFO:     started\nINFO:     stopped\n")).is_none());
        assert!(Uvicorn.parse(b"INFO: x").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Uvicorn.parse(&bytes);
            let _ = Uvicorn.parse(&[b"INFO:     1.2.3.4:5 - \"GET ", &bytes[..]].concat());
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
