//! PHP's own error log, `main/main.c`: `[22-Nov-2026 10:00:00 UTC] PHP Warning:  ...`, with the zone's
//! name, stack traces on lines of their own, and text of the application as it came.

use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::stamps;
use crate::support::score;
use cfray_model::{Level, Line, LineKind, Stack};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "php-error",
    title: "PHP error log",
    docs: "https://www.php.net/manual/en/errorfunc.configuration.php#ini.error-log",
    stack: Stack::Php,
    detect,
    samples: &[
        "[22-Nov-2026 12:24:07 UTC] PHP Warning:  Undefined variable $x in /srv/notice.php on line 3",
        "[22-Nov-2026 12:24:07 Europe/Berlin] PHP Fatal error:  Uncaught Error: Call to undefined function f() in /srv/fatal.php:3\nStack trace:\n#0 /srv/index.php(9): g()\n#1 {main}\n  thrown in /srv/fatal.php on line 3",
        "[22-Nov-2026 12:24:07 UTC] PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes) in /srv/big.php on line 44",
        "[22-Nov-2026 12:24:07 UTC] plain application message",
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
        parse(record).ok_or(LineError::new("no stamp with a time zone, such as [22-Nov-2026 10:00:00 UTC]", 0))
    }
}

/// A record of the error log.
pub(crate) fn parse(record: &[u8]) -> Option<Line<'_>> {
    let (rest, (time, zoned)) = stamps::php(record.strip_prefix(b"[")?).ok()?;
    if !zoned {
        return None;
    }
    let rest = rest.strip_prefix(b"]")?;
    let mut line = message(rest.strip_prefix(b" ").unwrap_or(rest));
    line.time = Some(time);
    Some(line)
}

/// A message of PHP without a stamp (`error_log = syslog`).
pub(crate) fn message(text: &[u8]) -> Line<'_> {
    let mut line = Line::new(LineKind::Php, Stack::Php);
    line.level = level(text);
    line.message = Cow::Borrowed(text);
    line.raw_text = true;
    line
}

/// Does a text open like a message of PHP's own?
pub(crate) fn is_own(text: &[u8]) -> bool {
    level(text).is_some() || is_trace(text) && text.starts_with(b"PHP ")
}

/// Does a message open a fatal error of PHP, under which a trace may follow? Bare, with PHP's stamp, or as FPM's children print it.
pub(crate) fn opens(text: &[u8]) -> bool {
    let bare = parse(text).is_some() || is_own(text);
    let printed = [&b"NOTICE: PHP message: "[..], b"PHP message: "].iter().any(|mark| text.starts_with(mark));
    (bare || printed) && memchr::memmem::find(text, b" error:").is_some()
}

/// Is this a line of a stack trace?
pub(crate) fn is_trace(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"PHP ").unwrap_or(line);
    let numbered = |open: &[u8]| {
        line.strip_prefix(open).is_some_and(|rest| {
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            digits > 0 && matches!(rest.get(digits), Some(b' ' | b'.'))
        })
    };
    line.starts_with(b"Stack trace:") || line.starts_with(b"thrown in ") || numbered(b"#") || numbered(b"  ")
}

fn level(text: &[u8]) -> Option<Level> {
    const WORDS: &[(&[u8], Level)] = &[
        (b"Fatal error:", Level::Error),
        (b"Parse error:", Level::Error),
        (b"Recoverable fatal error:", Level::Error),
        (b"Catchable fatal error:", Level::Error),
        (b"Core error:", Level::Error),
        (b"Compile error:", Level::Error),
        (b"Warning:", Level::Warn),
        (b"Core warning:", Level::Warn),
        (b"Compile warning:", Level::Warn),
        (b"Startup:", Level::Warn),
        (b"Notice:", Level::Notice),
        (b"Deprecated:", Level::Notice),
        (b"Strict Standards:", Level::Notice),
    ];
    let text = text.strip_prefix(b"PHP ")?;
    WORDS.iter().find(|(word, _)| text.starts_with(word)).map(|(_, level)| *level)
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let php = u32::try_from(sample.lines.iter().filter(|l| parse(l).is_some()).count()).ok()?;
    let trace = sample.lines.iter().filter(|l| is_trace(l)).count();
    let total = u32::try_from(sample.lines.len() - trace.min(sample.lines.len())).ok()?;
    if php == 0 || php * 4 < total {
        return None;
    }
    // Dumps of the application may fill many lines between two stamps.
    let score = score(900, php, php.max(total.min(php * 2)));
    Some(Detection {
        score,
        why: format!("{php} of {} sampled lines carry a stamp of PHP with its zone", sample.lines.len()),
        parser: Box::new(ErrorLog),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_zone_gives_an_offset_if_it_is_known() {
        let offset = |l: &str| parse(l.as_bytes()).unwrap().time.unwrap().offset_s;
        assert_eq!(offset("[22-Nov-2026 12:24:07 UTC] x"), Some(0));
        assert_eq!(offset("[22-Jul-2026 12:24:07 Europe/Berlin] x"), Some(7200));
        assert_eq!(offset("[22-Nov-2026 12:24:07 Nowhere/Town] x"), None);
        assert!(parse(b"[22-Nov-2026 12:24:07] NOTICE: ready").is_none(), "that is FPM");
    }

    #[test]
    fn traces_belong_to_their_message() {
        let text = FORMAT.samples.get(1).unwrap();
        let sample = Sample { lines: text.lines().map(str::as_bytes).collect() };
        assert_eq!(sample.records(&ErrorLog).len(), 1);
        assert!(detect(&sample).is_some());
    }

    #[test]
    fn lines_of_a_trace() {
        for line in ["Stack trace:", "#0 {main}", "  thrown in /srv/fatal.php on line 3", "PHP Stack trace:", "PHP   1. {main}() /x.php:0"]
        {
            assert!(is_trace(line.as_bytes()), "{line}");
        }
        for line in ["#hash tag", "1. first", "PHP Warning:  x", ""] {
            assert!(!is_trace(line.as_bytes()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = (parse(&bytes), is_trace(&bytes), is_own(&bytes));
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
