//! Logs of applications: any text with a date at the start of its lines. They are named and read as
//! context; nothing is concluded from what they say.

use crate::fields::time::{clf_time, epoch_time, iso_time, nginx_error_time};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{level, score};
use cfray_model::{Level, Line, LineKind, LogTime, Stack};
use nom::Parser;
use nom::branch::alt;
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "app",
    title: "Application log",
    docs: "https://www.rfc-editor.org/rfc/rfc3339",
    stack: Stack::App,
    detect,
    samples: &[
        "2026-11-22 12:24:07,513 INFO app.server: listening on 127.0.0.1:9111",
        "[2026-11-22 12:24:07] production.ERROR: Call to undefined method\n[stacktrace]\n#0 /srv/app/x.php(3): f()",
        "2026-11-22T12:24:07.123Z\twarn\thttp\tslow upstream",
        "2026/11/22 12:24:07 main.go:41: started",
        "E, [2026-11-22T12:24:07.536234 #20536] ERROR -- : reaped #<Process::Status: pid 456 SIGKILL (signal 9)> worker=0",
    ],
};

/// Parser of an application's log.
#[derive(Debug)]
struct App;

impl RecordParser for App {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        stamp(line).is_some()
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let (rest, time) = stamp(record).ok_or(LineError::new("no date at the start of the line", 0))?;
        let mut line = Line::new(LineKind::Other, Stack::App);
        line.time = Some(time);
        let text = rest.trim_ascii_start();
        line.level = first_level(text);
        line.message = Cow::Borrowed(text);
        line.raw_text = true;
        name_request(&mut line, text);
        name_peer(&mut line, text);
        Ok(line)
    }
}

/// An exception line says which request it was.
pub(crate) fn name_request<'a>(line: &mut Line<'a>, text: &'a [u8]) {
    if let Some((method, uri)) = crate::signatures::request_of_exception(text) {
        line.method = method.map(Cow::Borrowed);
        line.uri = Some(Cow::Borrowed(uri));
    }
}

/// A refused handshake says whose it was.
pub(crate) fn name_peer<'a>(line: &mut Line<'a>, text: &'a [u8]) {
    if let Some(peer) = crate::signatures::peer_of_handshake(text) {
        line.client = Some(Cow::Borrowed(peer));
    }
}

/// A stamp at the start, brackets allowed, and what follows it.
fn stamp(line: &[u8]) -> Option<(&[u8], LogTime)> {
    // Ruby's Logger: `E, [2026-11-22T12:24:07.536234 #20536] ERROR -- : text`.
    if let [b'D' | b'I' | b'W' | b'E' | b'F' | b'A', b',', b' ', b'[', rest @ ..] = line {
        let (rest, time) = iso_time(rest).ok()?;
        return rest.starts_with(b" #").then_some((rest, time));
    }
    let (inner, bracket) = match line.strip_prefix(b"[") {
        Some(inner) => (inner, true),
        None => (line, false),
    };
    let (rest, time) = alt((iso_time, nginx_error_time, clf_time, epoch_time)).parse(inner).ok()?;
    let rest = if bracket { rest.strip_prefix(b"]")? } else { rest };
    // A number or a word that merely begins like a date is none.
    match rest.first() {
        None | Some(b' ' | b'\t' | b',' | b':' | b'|' | b';' | b'[' | b']') => Some((rest, time)),
        // A zone that is written as a word and not known: the digits still hold.
        Some(b) if b.is_ascii_uppercase() => Some((rest, time)),
        _ => None,
    }
}

/// The first level word among the first words: `INFO`, `[error]`, `production.ERROR:`, `level=warn`.
fn first_level(text: &[u8]) -> Option<Level> {
    let head = text.split(|&b| b == b'\n').next().unwrap_or_default();
    let words = head.split(|b| !b.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.take(6).find_map(level)
}

/// At most 200 of 1000: every other format that recognises the file goes first.
fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let stamped = sample.lines.iter().filter(|l| stamp(l).is_some()).count();
    let total = sample.lines.len();
    // Traces and dumps fill many lines between two stamps, so the first line decides.
    let opens = sample.lines.first().is_some_and(|l| stamp(l).is_some());
    if stamped == 0 || (!opens && stamped * 4 < total) {
        return None;
    }
    let why = format!("{stamped} of {total} sampled lines begin with a date, and no other format fits");
    let share = score(100, u32::try_from(stamped).ok()?, u32::try_from(total).ok()?);
    Some(Detection { score: 100 + share, why, parser: Box::new(App) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_among_the_first_words() {
        let read = |text: &str| App.parse(text.as_bytes()).unwrap().level;
        assert_eq!(read("2026-11-22 12:24:07,513 INFO app.server: x"), Some(Level::Info));
        assert_eq!(read("[2026-11-22 12:24:07] production.ERROR: x"), Some(Level::Error));
        assert_eq!(read("2026-11-22T12:24:07.123Z level=warn msg=x"), Some(Level::Warn));
        assert_eq!(read("2012-07-02 10:22:40,672:DEBUG:foo bar baz"), Some(Level::Debug));
        assert_eq!(read("2026-11-22 12:24:07 a b c d e f g error"), None);
    }

    #[test]
    fn a_date_must_end_somewhere() {
        assert!(stamp(b"2026-11-22 12:24:07x").is_none());
        assert!(stamp(b"12345678901").is_none());
        assert!(stamp(b"2015-04-24T21:08:10.313913FOO err rbd").is_some(), "an unknown zone");
        assert!(stamp(b"[2026-11-22 12:24:07 x").is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = App.parse(&bytes);
            let _ = App.continues(&bytes, &bytes);
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
