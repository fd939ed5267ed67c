//! lighttpd's error log: `2026-11-22 10:00:00: (server.c.1704) text`, `(server.c:1704)` in 1.5, in local time. With
//! `server.feature-flags` the stamp may have nine digits of a second. What clients sent is written with escapes.

use crate::fields::addr;
use crate::fields::time::iso_time;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::by_records;
use cfray_model::{Line, LineKind, Stack};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "lighttpd-error",
    title: "lighttpd error log",
    docs: "lighttpd/lighttpd1.4: src/log.c (log_buffer_timestamp, log_buffer_prefix), src/server.c",
    stack: Stack::Lighttpd,
    detect,
    samples: &[
        "2026-11-22 12:24:07: (server.c.1704) server started (lighttpd/1.4.69)",
        "2026-11-22 12:24:08: (server.c.2078) server stopped by UID = 0 PID = 5249",
        "2026-11-22 12:24:09.000123456: (server.c.1272) [note] graceful shutdown started",
        "2026-11-22 12:24:10: (connections.c.714) unexpected TLS ClientHello on clear port (203.0.113.249)",
    ],
};

/// Parser of an error log.
#[derive(Debug)]
struct ErrorLog;

impl RecordParser for ErrorLog {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        parse(line).is_some()
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        parse(record).ok_or(LineError::new("no stamp and place in the source such as `2026-11-22 10:00:00: (server.c.1704)`", 0))
    }
}

fn parse(record: &[u8]) -> Option<Line<'_>> {
    let (rest, time) = iso_time(record).ok()?;
    let (file, message) = place(rest.strip_prefix(b": ")?)?;
    let mut line = Line::new(LineKind::Error, Stack::Lighttpd);
    line.time = Some(time);
    line.module = Some(Cow::Borrowed(file));
    line.message = Cow::Borrowed(message);
    // A line about a connection often ends in its address.
    let last = message.strip_suffix(b")").and_then(|m| m.rsplit(|&b| b == b'(').next());
    line.client = last.filter(|a| addr::is_addr(a)).map(Cow::Borrowed);
    Some(line)
}

/// `(server.c.1704) `: file of the source, and what follows.
fn place(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"(")?;
    let close = memchr::memchr(b')', inner.get(..64.min(inner.len()))?)?;
    let place = inner.get(..close)?;
    let digits = place.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let file = place.get(..place.len().checked_sub(digits + 1)?)?;
    let named = digits > 0 && matches!(place.get(file.len()), Some(b'.' | b':')) && file.ends_with(b".c");
    let plain = file.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    (named && plain).then_some((file, inner.get(close + 1..)?.trim_ascii_start()))
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    by_records(sample, Box::new(ErrorLog), 930, "lines of lighttpd with their place in its source", |_| true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn place_and_message() {
        let line = parse(b"2026-11-22 12:24:08: (server.c.2078) server stopped by UID = 0 PID = 5249").unwrap();
        assert_eq!((line.module.as_deref(), line.message.as_ref()), (Some(&b"server.c"[..]), &b"server stopped by UID = 0 PID = 5249"[..]));
        assert!(line.client.is_none());
        assert!(parse(b"2026-11-22 12:24:08: (server.c:2078) server stopped").is_some());
        let line = parse(FORMAT.samples.get(3).unwrap().as_bytes()).unwrap();
        assert_eq!(line.client.as_deref(), Some(&b"203.0.113.249"[..]));
    }

    #[test]
    fn other_stamped_lines_are_none() {
        for text in [
            "2026-11-22 12:24:08: server stopped",
            "2026-11-22 12:24:08: (main.py:12) x",
            "2026-11-22 12:24:08 (server.c.1) x",
            "2026-11-22 12:24:08: (c.1) x",
        ] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = ErrorLog.parse(&bytes);
            let _ = ErrorLog.continues(&bytes, &bytes);
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
