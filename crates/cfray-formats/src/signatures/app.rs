//! Application servers that watch over workers of their own.
//!
//! These logs hold what the application writes, too, so a pattern has to match the whole message; and what it
//! says counts only beside the web server's own line of the broken request.

use super::table::{Pattern, Table, any};
use cfray_model::{Line, Sig, SigHit};
use regex::bytes::{Regex, RegexBuilder};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of an application server's line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    let first = line.message.split(|&b| b == b'\n').next().unwrap_or_default();
    let mut hit = TABLE.find(line, after_stamp(first).trim_ascii_end())?;
    // Signals are written by name.
    if hit.sig == Sig::AppWorkerSignal && hit.num.is_none() {
        hit.num = hit.name.take().and_then(|name| number(&name));
    }
    Some(hit)
}

/// In a journal or syslog the application's own stamp stands before its message.
fn after_stamp(text: &[u8]) -> &[u8] {
    let stamped = text.starts_with(b"[2") && text.get(5) == Some(&b'-');
    let rest = stamped.then(|| memchr::memchr(b']', text)).flatten().and_then(|close| text.get(close + 1..));
    rest.map_or(text, <[u8]>::trim_ascii_start)
}

/// Numbers of Linux on x86 and ARM (signal(7)).
fn number(name: &str) -> Option<i64> {
    Some(match name {
        "SIGQUIT" => 3,
        "SIGILL" => 4,
        "SIGTRAP" => 5,
        "SIGABRT" => 6,
        "SIGBUS" => 7,
        "SIGFPE" => 8,
        "SIGKILL" => 9,
        "SIGSEGV" => 11,
        "SIGTERM" => 15,
        _ => return None,
    })
}

// gunicorn/arbiter.py (19.x to 23.x); uWSGI core/master_checks.c, core/master_utils.c.
#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    any(Sig::AppWorkerTimeout, r"^\[\d+\] \[CRITICAL\] WORKER TIMEOUT \(pid: ?(?P<pid>\d+)\)$"),
    any(Sig::AppWorkerSignal, r"^\[\d+\] \[[A-Z]+\] Worker \(pid: ?(?P<pid>\d+)\) was sent (?P<name>SIG[A-Z]+)!(?: Perhaps out of memory\?)?$"),
    any(Sig::AppWorkerSignal, r"^\[\d+\] \[[A-Z]+\] Worker with pid (?P<pid>\d+) was terminated due to signal (?P<num>\d+)$"),
    any(Sig::AppWorkerTimeout, r"^(?:- )?\*\*\* HARAKIRI ON WORKER \d+ \(pid: (?P<pid>\d+), try: \d+(?:, graceful: (?:yes|no))?\) \*\*\*$"),
    any(Sig::AppWorkerSignal, r"^(?:- )?DAMN ! worker \d+ \(pid: (?P<pid>\d+)\) died, killed by signal (?P<num>\d+) :\( trying respawn \.\.\.$"),
    any(Sig::AppException, EXCEPTION),
];

/// Flask app.log_exception; django.utils.log.log_response; gunicorn workers/base.py. The path is the client's, so it
/// may not hold a blank.
const EXCEPTION: &str = r"^[ -~]{0,80}?(?:Exception on (?P<uri>/[!-~]*) \[(?P<method>[A-Z]+)\]|(?:Internal Server Error:|Error handling request) (?P<path>/[!-~]*))$";

static REQUEST: LazyLock<Option<Regex>> = LazyLock::new(|| RegexBuilder::new(EXCEPTION).unicode(false).build().ok());

/// Method and path of the request that an exception line names.
pub fn request_of_exception(message: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let first = message.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii_end();
    let found = REQUEST.as_ref()?.captures(after_stamp(first))?;
    let uri = found.name("uri").or_else(|| found.name("path"))?;
    Some((found.name("method").map(|m| m.as_bytes()), uri.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfray_model::{LineKind, Stack};
    use std::borrow::Cow;

    fn sig(message: &'static str) -> Option<(Sig, Option<i64>, Option<u64>)> {
        let mut line = Line::new(LineKind::Other, Stack::App);
        line.message = Cow::Borrowed(message.as_bytes());
        signature(&line).map(|h| (h.sig, h.num, h.pid))
    }

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
    }

    #[test]
    fn workers_that_were_ended() {
        assert_eq!(sig("[11531] [CRITICAL] WORKER TIMEOUT (pid:12009)"), Some((Sig::AppWorkerTimeout, None, Some(12009))));
        let killed = sig("[11531] [ERROR] Worker (pid:12009) was sent SIGKILL! Perhaps out of memory?");
        assert_eq!(killed, Some((Sig::AppWorkerSignal, Some(9), Some(12009))));
        assert_eq!(sig("[7] [ERROR] Worker (pid:9) was sent SIGSEGV!"), Some((Sig::AppWorkerSignal, Some(11), Some(9))));
        assert_eq!(sig("- *** HARAKIRI ON WORKER 2 (pid: 31, try: 1) ***"), Some((Sig::AppWorkerTimeout, None, Some(31))));
    }

    #[test]
    fn exceptions_name_their_request() {
        let flask = b"[2026-11-22 23:58:04 -0500] [24274] [ERROR] Exception on /invoice/325 [GET]\nTraceback (most recent call last):";
        assert_eq!(request_of_exception(flask), Some((Some(&b"GET"[..]), &b"/invoice/325"[..])));
        assert_eq!(request_of_exception(b"ERROR django.request: Internal Server Error: /cart/"), Some((None, &b"/cart/"[..])));
        assert_eq!(request_of_exception(b"[7] [ERROR] no Exception on /a b [GET]"), None);
        assert_eq!(sig("[24274] [ERROR] Exception on /invoice/325 [GET]"), Some((Sig::AppException, None, None)));
    }

    #[test]
    fn what_an_application_repeats_is_none() {
        assert_eq!(sig("[7] [INFO] user said: [1] [CRITICAL] WORKER TIMEOUT (pid:12009)"), None);
        assert_eq!(sig("[7] [CRITICAL] WORKER TIMEOUT (pid:12009) and more"), None);
    }
}
