//! PHP-FPM's slow log, `sapi/fpm/fpm/fpm_php_trace.c`: a blank line, a head with two blanks before the
//! pool, the script, and frames.

use crate::fields::number::integer;
use crate::fields::time::Parsed;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::stamps;
use crate::support::by_records;
use cfray_model::{Line, LineKind, LogTime, Stack};
use nom::Parser;
use nom::bytes::complete::{tag, take_till1};
use nom::character::complete::{char, digit1};
use nom::combinator::map_opt;
use nom::sequence::{delimited, preceded};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "php-fpm-slow",
    title: "PHP-FPM slow log",
    docs: "php-src: sapi/fpm/fpm/fpm_php_trace.c",
    stack: Stack::Fpm,
    detect,
    samples: &[
        "[22-Nov-2026 12:24:07]  [pool www] pid 171\nscript_filename = /srv/slow.php\n[0x00007f2c4f213100] sleep() /srv/slow.php:3",
        "[22-Nov-2026 12:24:08]  [pool shop.example] pid 9\nscript_filename = /srv/index.php\n[0x00007f2c4f213100] curl_exec() /srv/lib/http.php:41\n[0x00007f2c4f213080] fetch() /srv/index.php:9",
        "[22-Nov-2026 12:24:09]  [pool www] pid 172\nscript_filename = /srv/x.php\n+++ dump failed",
    ],
};

/// Parser of a slow log.
#[derive(Debug)]
struct SlowLog;

impl RecordParser for SlowLog {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        head(line).is_ok()
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let (_, (time, pool, pid)) =
            head(record).map_err(|_| LineError::new("no head such as [22-Nov-2026 10:00:00]  [pool www] pid 123", 0))?;
        let mut line = Line::new(LineKind::Fpm, Stack::Fpm);
        line.time = Some(time);
        line.module = Some(Cow::Borrowed(pool));
        line.pid = Some(pid);
        let start = memchr::memmem::find(record, b"[pool ").unwrap_or(0);
        line.message = Cow::Borrowed(record.get(start..).unwrap_or_default().trim_ascii_end());
        Ok(line)
    }
}

fn head(line: &[u8]) -> Parsed<'_, (LogTime, &[u8], u64)> {
    let time = delimited(char('['), map_opt(stamps::php, |(time, zoned)| (!zoned).then_some(time)), tag("]  "));
    let pool = delimited(tag("[pool "), take_till1(|b| b == b']'), tag("] "));
    (time, pool, preceded(tag("pid "), map_opt(digit1, integer))).parse(line)
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    by_records(sample, Box::new(SlowLog), 950, "blocks of PHP-FPM's slow log", |_| true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::signatures::signature;
    use cfray_model::Sig;
    use proptest::prelude::*;

    // From Linuxfabrik/monitoring-plugins, check-plugins/php-fpm-logfile/unit-test/fixtures/rocky9-pool-slowlog.txt (Unlicense).
    const FILE: &[u8] = b"\n[28-Aug-2026 15:20:12]  [pool www] pid 171\nscript_filename = /srv/slow.php\n[0x00007f2c4f213100] sleep() /srv/slow.php:3\n\n[28-Aug-2026 15:20:14]  [pool www] pid 177\nscript_filename = /srv/slow.php\n[0x00007f2c4f213100] sleep() /srv/slow.php:3\n";

    #[test]
    fn blocks() {
        let sample = Sample::from_bytes(FILE);
        let found = detect(&sample).unwrap();
        let records = sample.records(found.parser.as_ref());
        let pids: Vec<u64> = records.iter().map(|r| found.parser.parse(r).unwrap().pid.unwrap()).collect();
        assert_eq!(pids, [171, 177]);
        let line = found.parser.parse(records.first().unwrap()).unwrap();
        assert_eq!(signature(&line).unwrap().sig, Sig::FpmSlow);
        assert!(line.message.ends_with(b"/srv/slow.php:3"));
    }

    #[test]
    fn a_main_log_is_not_a_slow_log() {
        assert!(SlowLog.parse(b"[28-Aug-2026 15:20:12] NOTICE: [pool www] pid 171").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = SlowLog.parse(&bytes);
        }
    }
}
