//! LiteSpeed and OpenLiteSpeed error log: `2026-11-22 10:00:00.123456 [NOTICE] [812] [192.0.2.1:5312-0#shop] text`,
//! in local time; process id and session tag may be missing.

use crate::fields::addr;
use crate::fields::number::integer;
use crate::fields::time::iso_time;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{by_records, level_word};
use cfray_model::{Level, Line, LineKind, LogTime, Stack};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "litespeed-error",
    title: "LiteSpeed error log",
    docs: "openlitespeed: src/log4cxx/patternlayout.cpp, src/http/httplog.cpp",
    stack: Stack::LiteSpeed,
    detect,
    samples: &[
        "2026-11-22 12:24:07.123456 [NOTICE] [1234] [172.70.240.21] Reached per client hard connection limit: 100, current: 101, close connection!",
        "2026-11-22 12:24:07.223456 [INFO] [1234] [172.70.240.21:40112-0#shop.example] [LSAPI:STDERR]: PHP Warning:  Undefined variable $x in /srv/x.php on line 3",
        "2026-11-22 12:24:07.323456 [NOTICE] [1234] [AutoRestarter] child process with pid=1240 exited with status=11!",
        "2026-11-22 12:24:08.000001 [WARN] [1234] [T0] [172.70.240.21:40113:HTTP2-3#shop.example:lsapi] The size of dynamic response header: 70000 is over the limit.",
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
        head(line).is_some()
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        parse(record).ok_or(LineError::new("no stamp and level such as 2026-11-22 10:00:00.123456 [NOTICE]", 0))
    }
}

fn head(line: &[u8]) -> Option<(&[u8], LogTime, Level)> {
    let (rest, time) = iso_time(line).ok()?;
    let (rest, level) = level_word(rest.strip_prefix(b" [")?).ok()?;
    Some((rest.strip_prefix(b"]")?.trim_ascii_start(), time, level))
}

fn parse(record: &[u8]) -> Option<Line<'_>> {
    let (mut rest, time, level) = head(record)?;
    let mut line = Line::new(LineKind::Error, Stack::LiteSpeed);
    line.time = Some(time);
    line.level = Some(level);
    // Process id and thread come before the session: `[1234] [T0] [192.0.2.1:40113...]`.
    while let Some((tag, after)) = bracketed(rest) {
        match tag.strip_prefix(b"T").unwrap_or(tag) {
            digits if integer(digits).is_some() => line.pid = line.pid.or_else(|| integer(tag)),
            _ => break,
        }
        rest = after;
    }
    line.message = Cow::Borrowed(rest);
    if let Some((session, _)) = bracketed(rest) {
        let (peer, vhost) = match memchr::memchr(b'#', session) {
            Some(hash) => (session.get(..hash)?, session.get(hash + 1..)),
            None => (session, None),
        };
        let peer = peer.split(|&b| b == b'-').next().unwrap_or(peer);
        let peer = memchr::memmem::find(peer, b":HTTP").and_then(|at| peer.get(..at)).unwrap_or(peer);
        if let Some(client) = [addr::split_port(peer), peer].into_iter().find(|p| addr::is_addr(p)) {
            line.client = Some(Cow::Borrowed(client));
            let vhost = vhost.and_then(|v| v.split(|&b| b == b':').next());
            line.host = vhost.map(|v| v.strip_prefix(b"APVH_").unwrap_or(v)).filter(|v| !v.is_empty()).map(Cow::Borrowed);
        }
    }
    Some(line)
}

fn bracketed(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = text.strip_prefix(b"[")?;
    let close = memchr::memchr(b']', inner)?;
    Some((inner.get(..close)?, inner.get(close + 1..)?.trim_ascii_start()))
}

/// The layout alone is that of many applications; a word of LiteSpeed's own must be there.
fn detect(sample: &Sample<'_>) -> Option<Detection> {
    const OWN: &[&[u8]] = &[
        b"LSAPI",
        b"[AutoRestarter]",
        b"per client ",
        b"lsphp",
        b"LiteSpeed",
        b"litespeed",
        b":HTTP2-",
        b":QUIC:",
        b"[T0]",
        b"#_AdminVHost",
        b"lsquic",
    ];
    if !sample.lines.iter().any(|l| OWN.iter().any(|own| memchr::memmem::find(l, own).is_some())) {
        return None;
    }
    by_records(sample, Box::new(ErrorLog), 900, "lines of LiteSpeed", |_| true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sessions_name_client_and_host() {
        let read = |n: usize| parse(FORMAT.samples.get(n).unwrap().as_bytes()).unwrap();
        let (bare, session, h2) = (read(0), read(1), read(3));
        assert_eq!((bare.client.as_deref(), bare.host, bare.pid), (Some(&b"172.70.240.21"[..]), None, Some(1234)));
        assert_eq!((session.client.as_deref(), session.host.as_deref()), (Some(&b"172.70.240.21"[..]), Some(&b"shop.example"[..])));
        assert_eq!(
            (h2.client.as_deref(), h2.host.as_deref(), h2.level),
            (Some(&b"172.70.240.21"[..]), Some(&b"shop.example"[..]), Some(Level::Warn))
        );
        assert_eq!(read(2).client, None);
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
