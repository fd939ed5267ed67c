//! uWSGI's log: `Sun Nov 22 12:24:07 2026 - message` of the server itself, one line a request with its stamp in the
//! middle, and whatever the application prints, as it came. In local time.

use crate::fields::time::apache_error_time;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::score;
use cfray_model::{Line, LineKind, LogTime, Stack};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "uwsgi",
    title: "uWSGI log",
    docs: "https://uwsgi-docs.readthedocs.io/en/latest/LogFormat.html; unbit/uwsgi core/logging.c, core/master_utils.c",
    stack: Stack::App,
    detect,
    samples: &[
        "Sun Nov 22 12:24:07 2026 - *** HARAKIRI ON WORKER 1 (pid: 5369, try: 1) ***",
        "Sun Nov 22 12:24:07 2026 - HARAKIRI [core 0] 172.68.28.30 - GET /reports/build/57?format=xlsx since 1795419427",
        "Sun Nov 22 12:24:08 2026 - DAMN ! worker 1 (pid: 5369) died, killed by signal 9 :( trying respawn ...",
        "[pid: 5376|app: 0|req: 2/94] 172.67.211.177 () {52 vars in 827 bytes} [Sun Nov 22 12:24:09 2026] GET /v1/items/187 => generated 4440 bytes in 33 msecs (HTTP/1.1 200) 2 headers in 66 bytes (1 switches on core 0)",
    ],
};

/// Parser of uWSGI's log.
#[derive(Debug)]
struct Uwsgi;

impl RecordParser for Uwsgi {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        server(line).is_some() || request(line).is_some()
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let (time, message) =
            server(record).or_else(|| request(record)).ok_or(LineError::new("no stamp such as `Sun Nov 22 10:00:00 2026 - `", 0))?;
        let mut line = Line::new(LineKind::Other, Stack::App);
        line.time = Some(time);
        line.message = Cow::Borrowed(message);
        line.raw_text = true;
        crate::app::name_request(&mut line, message);
        Ok(line)
    }
}

/// A line of the server's own.
fn server(line: &[u8]) -> Option<(LogTime, &[u8])> {
    let (rest, time) = apache_error_time(line).ok()?;
    Some((time, rest.strip_prefix(b" - ")?.trim_ascii_start()))
}

/// A line about a request: the stamp stands in brackets, before it only what the server counts and the peer's address and name.
fn request(line: &[u8]) -> Option<(LogTime, &[u8])> {
    let rest = line.strip_prefix(b"[pid: ")?;
    let vars = memchr::memmem::find(rest.get(..512.min(rest.len()))?, b" bytes} [")?;
    let (rest, time) = apache_error_time(rest.get(vars + 9..)?).ok()?;
    rest.starts_with(b"] ").then_some((time, line))
}

/// The application's own lines and backtraces may be many; few are enough, as these forms are nobody else's.
fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let total = u32::try_from(sample.lines.len()).ok()?;
    let good = u32::try_from(sample.lines.iter().filter(|l| Uwsgi.starts_record(l)).count()).ok()?;
    // An asctime stamp and a dash alone may be anybody's.
    let own =
        |l: &&&[u8]| request(l).is_some() || server(l).is_some_and(|(_, m)| OWN.iter().any(|word| memchr::memmem::find(m, word).is_some()));
    if good * 20 < total || !sample.lines.iter().any(|l| own(&l)) {
        return None;
    }
    let why = format!("{good} of {total} sampled lines are stamped as uWSGI does, and some are its own");
    Some(Detection { score: 600 + score(350, good, total), why, parser: Box::new(Uwsgi) })
}

const OWN: &[&[u8]] = &[b"uWSGI", b"HARAKIRI", b"harakiri", b"DAMN ! worker", b"WSGI app "];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use cfray_model::Sig;
    use proptest::prelude::*;

    #[test]
    fn harakiri_names_its_request() {
        let line = Uwsgi.parse(FORMAT.samples.get(1).unwrap().as_bytes()).unwrap();
        assert_eq!((line.method.as_deref(), line.uri.as_deref()), (Some(&b"GET"[..]), Some(&b"/reports/build/57?format=xlsx"[..])));
        assert_eq!(crate::signature(&line).map(|h| h.sig), Some(Sig::AppWorkerTimeout));
    }

    #[test]
    fn killed_after_harakiri() {
        let line = Uwsgi.parse(FORMAT.samples.get(2).unwrap().as_bytes()).unwrap();
        assert_eq!(crate::signature(&line).map(|h| (h.sig, h.num, h.pid)), Some((Sig::AppWorkerSignal, Some(9), Some(5369))));
    }

    #[test]
    fn what_an_application_prints_belongs_to_the_line_before() {
        let text = "Sun Nov 22 12:24:07 2026 - spawned uWSGI worker 1 (pid: 5369, cores: 1)\nprice service answered without currency\n";
        let sample = Sample::from_bytes(text.as_bytes());
        assert_eq!(sample.records(&Uwsgi).len(), 1);
        assert!(detect(&sample).is_some());
    }

    #[test]
    fn a_stamp_and_a_dash_alone_are_anybodys() {
        assert!(
            detect(&Sample::from_bytes(b"Sun Nov 22 12:24:07 2026 - backup begins\nSun Nov 22 12:24:09 2026 - backup ends\n")).is_none()
        );
        assert!(Uwsgi.parse(b"Sun Nov 22 12:24:07 2026 backup").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_in_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = Uwsgi.parse(&bytes);
            let _ = Uwsgi.continues(&bytes, &bytes);
            let _ = detect(&Sample::from_bytes(&bytes));
        }
    }
}
