//! Application servers that watch over workers of their own.
//!
//! These logs hold what the application writes, too, so a pattern has to match the whole message; and what it
//! says counts only beside the web server's own line of the broken request.

use super::table::{Pattern, Scope, Table, any};
use crate::fields::addr;
use crate::fields::time::apache_error_time;
use cfray_model::{Level, Line, Sig, SigHit};
use regex::bytes::{Regex, RegexBuilder};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of an application server's line.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    let first = line.message.split(|&b| b == b'\n').next().unwrap_or_default();
    let first = after_stamp(first).trim_ascii_end();
    if let Some(hit) = exception(&line.message) {
        return Some(hit);
    }
    // A logger wrote the request's fields itself; text that others wrote has none.
    let warned = line.level.is_some_and(|level| level <= Level::Warn);
    if warned && !line.raw_text && line.method.is_some() && line.uri.is_some() && line.status.is_none() {
        return Some(super::table::bare(Sig::AppUnanswered));
    }
    let mut hit = TABLE.find(line, first)?;
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
    let text = rest.map_or(text, <[u8]>::trim_ascii_start);
    // uWSGI's: `Sun Nov 22 12:24:07 2026 - message`.
    if let Some(rest) = apache_error_time(text).ok().and_then(|(rest, _)| rest.strip_prefix(b" - ")) {
        return rest.trim_ascii_start();
    }
    // Ruby's Logger: `#PID]  LEVEL -- progname: message`, the stamp before it already read or not.
    let ruby = RUBY.as_ref().and_then(|r| r.find(text)).and_then(|head| text.get(head.end()..));
    ruby.unwrap_or(text)
}

/// What Ruby's Logger puts before a message (lib/logger/formatter.rb).
static RUBY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    RegexBuilder::new(r"^(?:[DIWEFA], \[[0-9T:.-]{19,26} )?#\d+\] +(?:[A-Z]+) -- [!-9;-~]*: ").unicode(false).build().ok()
});

/// Monolog's line of an exception that nobody caught, as Laravel and Symfony write it: channel and level, message,
/// and the exception with its place in the context (Monolog LineFormatter, `[object] (CLASS(code: N): MESSAGE at FILE:LINE)`).
const MONOLOG: &str = concat!(
    r"^[A-Za-z0-9_-]+\.(?:ERROR|CRITICAL|ALERT|EMERGENCY): [^\n]*",
    r#""exception":"\[object\] \((?P<class>[A-Za-z0-9_\\]+)\(code: [^()\n]*\): [^\n]* at (?P<file>(?:/|[A-Za-z]:[\\/]+|phar:)[^\n"]*?):\d+\)"#,
    r#"(?:"\}(?: (?:\[\]|\{[^\n]*\}))?[ \r]*$|[ \r]*\n\[(?:stacktrace|previous exception)\])"#
);

static EXCEPTIONS: LazyLock<Option<Regex>> = LazyLock::new(|| RegexBuilder::new(MONOLOG).unicode(false).build().ok());

fn exception(message: &[u8]) -> Option<SigHit> {
    monolog_file(message).map(|_| super::table::bare(Sig::PhpFatal))
}

/// The file that an exception in Monolog's form was thrown in, and where its frames begin.
pub(super) fn monolog_file(message: &[u8]) -> Option<(&[u8], &[u8])> {
    memchr::memmem::find(message, b"\"exception\":\"[object] (")?;
    let found = EXCEPTIONS.as_ref()?.captures(after_stamp(message))?;
    let end = found.get(0)?.end();
    Some((found.name("file")?.as_bytes(), after_stamp(message).get(end..)?))
}

/// Numbers of Linux on x86 and ARM (signal(7)).
fn number(name: &str) -> Option<i64> {
    Some(match name {
        "SIGHUP" => 1,
        "SIGINT" => 2,
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

// gunicorn/arbiter.py (19.x to 23.x); uWSGI core/master_checks.c, core/master_utils.c; unicorn lib/unicorn/http_server.rb and
// configurator.rb; puma lib/puma/cluster.rb (3.x to 8.x); PM2 lib/God.js; supervisor/process.py; V8 api.cc;
// node src/node_errors.cc (TriggerUncaughtException prints the error, then the version: 17 and newer).
#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    any(Sig::AppWorkerTimeout, r"^\[\d+\] \[CRITICAL\] WORKER TIMEOUT \(pid: ?(?P<pid>\d+)\)$"),
    any(Sig::AppWorkerSignal, r"^\[\d+\] \[[A-Z]+\] Worker \(pid: ?(?P<pid>\d+)\) was sent (?P<name>SIG[A-Z]+)!(?: Perhaps out of memory\?)?$"),
    any(Sig::AppWorkerSignal, r"^\[\d+\] \[[A-Z]+\] Worker with pid (?P<pid>\d+) was terminated due to signal (?P<num>\d+)$"),
    any(Sig::AppWorkerTimeout, r"^(?:- )?\*\*\* HARAKIRI ON WORKER \d+ \(pid: (?P<pid>\d+), try: \d+(?:, graceful: (?:yes|no))?\) \*\*\*$"),
    any(Sig::AppWorkerSignal, r"^(?:- )?DAMN ! worker \d+ \(pid: (?P<pid>\d+)\) died, killed by signal (?P<num>\d+) :\( trying respawn \.\.\.$"),
    Pattern { sig: Some(Sig::AppWorkerSignal), scope: Scope::Any, num: Some(11), regex: r"^(?:- )?!!! uWSGI process (?P<pid>\d+) got Segmentation Fault !!!$" },
    Pattern { sig: Some(Sig::AppWorkerSignal), scope: Scope::Any, num: Some(8), regex: r"^(?:- )?!!! uWSGI process (?P<pid>\d+) got Floating Point Exception !!!$" },
    any(Sig::AppQueueFull, r#"^(?:- )?\*\*\* uWSGI listen queue of socket (?:\d+|"(?P<name>[!-~]*)" \(fd: \d+\)) full !!! \(\d+/\d+\) \*\*\*$"#),
    any(Sig::AppWorkerTimeout, HARAKIRI),
    any(Sig::AppWorkerTimeout, r"^worker=\d+ PID:(?P<pid>\d+) timeout \(\d+s > \d+s\), killing$"),
    any(Sig::AppWorkerSignal, r"^reaped #<Process::Status: pid (?P<pid>\d+) SIG[A-Z]+ \(signal (?P<num>\d+)\)(?: \(core dumped\))?> worker=(?:\d+|unknown)$"),
    any(Sig::AppWorkerTimeout, r"^\[\d+\] ! Terminating timed out worker(?: \(worker failed to check in within \d+ seconds\))?: (?P<pid>\d+)$"),
    // PM2 gives SIGINT as the signal of every process that ended itself.
    any(Sig::AppExit, r"^(?:: )?(?:PM2 log: )?App \[[!-Z^-~ ]+:\d+\] exited with code \[(?P<num>[1-9]\d{0,2})\] via signal \[SIGINT\]$"),
    any(Sig::AppWorkerSignal, r"^(?:: )?(?:PM2 log: )?App \[[!-Z^-~ ]+:\d+\] exited with code \[\d+\] via signal \[(?P<name>SIG[A-Z]+)\]$"),
    any(Sig::AppExit, r"^(?:INFO|WARN) exited: [!-~]+ \(exit status (?P<num>[1-9]\d{0,2}); not expected\)$"),
    any(Sig::AppExit, r"^Node\.js v\d{2,3}\.\d+\.\d+(?:-[0-9A-Za-z.-]{1,40})?$"),
    any(Sig::AppError, r"^(?:Uncaught )?(?:[A-Z][A-Za-z]{0,40})?Error(?: \[[A-Z0-9_]{1,60}\])?: [^\n]{1,2000}$"),
    any(Sig::AppWorkerSignal, r"^(?:INFO|WARN) exited: [!-~]+ \(terminated by (?P<name>SIG[A-Z]+)(?: \(core dumped\))?; not expected\)$"),
    Pattern { sig: Some(Sig::AppWorkerSignal), scope: Scope::Any, num: Some(6), regex: r"^FATAL ERROR: [A-Za-z_ -]{0,60}Allocation failed - JavaScript heap out of memory$" },
    any(Sig::AppException, EXCEPTION),
    any(Sig::PhpFatal, ASGI),
    any(Sig::PeerClientCert, HANDSHAKE),
    any(Sig::AppListening, r"^\[\d+\] \[INFO\] Listening at: https?://(?P<name>[0-9a-fA-F.:\[\]]+) \(\d+\)$"),
    any(Sig::AppListening, r"^(?:INFO: +)?Uvicorn running on https?://(?P<name>[0-9a-fA-F.:\[\]]+) \(Press CTRL\+C to quit\)$"),
    any(Sig::AppListening, FASTIFY),
];

/// Fastify's own line in pino's form (fastify lib/server.js): nothing of it but host name and address varies.
const FASTIFY: &str = r#"^\{"level":30,"time":\d+,"pid":\d+,"hostname":"[0-9A-Za-z._-]*","msg":"Server listening at https?://(?P<name>[0-9a-fA-F.:\[\]]+)"\}$"#;

/// uWSGI `harakiri-verbose` and trigger_harakiri: which request a worker was busy with.
const HARAKIRI: &str = r"^(?:- )?HARAKIRI \[core \d+\] [!-~]* - (?P<method>[A-Z]+) (?P<uri>/[!-~]*) since \d+$";

/// Flask app.log_exception; django.utils.log.log_response; gunicorn workers/base.py. The path is the client's, so it
/// may not hold a blank.
const EXCEPTION: &str = r"^[ -~]{0,80}?(?:Exception on (?P<uri>/[!-~]*) \[(?P<method>[A-Z]+)\]|(?:Internal Server Error:|Error handling request) (?P<path>/[!-~]*))$";

/// uvicorn's report of an exception that the application let through (`run_asgi` in uvicorn/protocols/http): it answers 500 in its
/// place, and names no request. Under gunicorn the level stands in brackets.
const ASGI: &str = r"^(?:\[\d+\] \[ERROR\] |ERROR: {4})?Exception in ASGI application$";

static ASGI_EXCEPTION: LazyLock<Option<Regex>> = LazyLock::new(|| RegexBuilder::new(ASGI).unicode(false).build().ok());

/// Does a message report an exception as uvicorn does?
pub(super) fn asgi_exception(message: &[u8]) -> bool {
    let first = message.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii_end();
    first.ends_with(b"ASGI application") && ASGI_EXCEPTION.as_ref().is_some_and(|r| r.is_match(after_stamp(first)))
}

/// Go's net/http (`conn.serve` in server.go) about a client certificate that crypto/tls refused (`processCertsFromClient` in
/// handshake_server.go). Of a handshake that failed in another way it says so in other words.
const HANDSHAKE: &str = concat!(
    r"^http: TLS handshake error from (?P<peer>[0-9A-Fa-f.:\[\]]+): ",
    r"tls: (?:client didn't provide a certificate|failed to verify (?:client )?certificate: x509: [ -~]*)$"
);

static REFUSED: LazyLock<Option<Regex>> = LazyLock::new(|| RegexBuilder::new(HANDSHAKE).unicode(false).build().ok());

/// Address of the peer whose client certificate was refused.
pub fn peer_of_handshake(message: &[u8]) -> Option<&[u8]> {
    let first = message.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii_end();
    let peer = REFUSED.as_ref()?.captures(after_stamp(first))?.name("peer")?.as_bytes();
    let client = addr::split_port(peer);
    addr::is_addr(client).then_some(client)
}

static ENDED: LazyLock<Option<Regex>> = LazyLock::new(|| RegexBuilder::new(HARAKIRI).unicode(false).build().ok());
static REQUEST: LazyLock<Option<Regex>> = LazyLock::new(|| RegexBuilder::new(EXCEPTION).unicode(false).build().ok());

/// Method and path of the request that a line about an exception or an ended worker names.
pub fn request_of_exception(message: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let first = message.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii_end();
    let first = after_stamp(first);
    let found = REQUEST.as_ref().and_then(|r| r.captures(first)).or_else(|| ENDED.as_ref()?.captures(first))?;
    let uri = ["uri", "path"].iter().find_map(|group| found.name(group))?;
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
        assert!(
            RUBY.is_some() && EXCEPTIONS.is_some() && REQUEST.is_some() && ASGI_EXCEPTION.is_some() && ENDED.is_some() && REFUSED.is_some()
        );
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
    fn other_supervisors() {
        let killed = Some((Sig::AppWorkerSignal, Some(9), None));
        assert_eq!(sig("PM2 log: App [store:1] exited with code [0] via signal [SIGKILL]"), killed);
        assert_eq!(sig(": PM2 log: App [store:1] exited with code [0] via signal [SIGKILL]"), killed, "behind its stamp");
        assert_eq!(sig("WARN exited: gunicorn (terminated by SIGKILL; not expected)"), killed);
        assert_eq!(sig("WARN exited: gunicorn (exit status 1; not expected)"), Some((Sig::AppExit, Some(1), None)));
        assert_eq!(sig("INFO exited: gunicorn (exit status 0; expected)"), None);
        let ended = "PM2 log: App [store:1] exited with code [1] via signal [SIGINT]";
        assert_eq!(sig(ended), Some((Sig::AppExit, Some(1), None)), "SIGINT stands there whatever ended it");
        let reaped = "#20536] ERROR -- : reaped #<Process::Status: pid 456 SIGKILL (signal 9)> worker=0";
        assert_eq!(sig(reaped), Some((Sig::AppWorkerSignal, Some(9), Some(456))));
        assert_eq!(sig("#20536]  INFO -- : reaped #<Process::Status: pid 456 exit 0> worker=0"), None);
        let late = "E, [2026-11-22T12:24:07.536234 #20536] ERROR -- : worker=0 PID:456 timeout (61s > 60s), killing";
        assert_eq!(sig(late), Some((Sig::AppWorkerTimeout, None, Some(456))));
        assert_eq!(sig("[48246] ! Terminating timed out worker: 48247"), Some((Sig::AppWorkerTimeout, None, Some(48247))));
        let newer = "[48246] ! Terminating timed out worker (worker failed to check in within 60 seconds): 48247";
        assert_eq!(sig(newer), Some((Sig::AppWorkerTimeout, None, Some(48247))));
        let boot = "[48246] ! Terminating timed out worker (worker failed to boot within 60 seconds): 48247";
        assert_eq!(sig(boot), None, "it served nothing yet");
        let heap = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
        assert_eq!(sig(heap), Some((Sig::AppWorkerSignal, Some(6), None)));
        assert_eq!(sig("WARN FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"), None);
    }

    #[test]
    fn node_ends_itself() {
        assert_eq!(sig("Node.js v20.20.2"), Some((Sig::AppExit, None, None)));
        assert_eq!(sig("Node.js v20.20.2 is what we run"), None);
        let mut line = Line::new(LineKind::Other, Stack::App);
        (line.method, line.uri) = (Some(Cow::Borrowed(&b"GET"[..])), Some(Cow::Borrowed(&b"/a"[..])));
        line.level = Some(Level::Warn);
        assert_eq!(signature(&line).map(|h| h.sig), Some(Sig::AppUnanswered));
        line.level = Some(Level::Info);
        assert!(signature(&line).is_none(), "a request that came in");
        (line.level, line.raw_text) = (Some(Level::Error), true);
        assert!(signature(&line).is_none(), "text of others");
    }

    #[test]
    fn harakiri_of_a_request() {
        let line = b"HARAKIRI [core 0] 172.68.28.30 - GET /reports/build/57?format=xlsx since 1795419427";
        assert_eq!(request_of_exception(line), Some((Some(&b"GET"[..]), &b"/reports/build/57?format=xlsx"[..])));
        assert_eq!(sig("HARAKIRI !!! worker 1 status !!!"), None);
        let crash = Some((Sig::AppWorkerSignal, Some(11), Some(13904)));
        assert_eq!(sig("!!! uWSGI process 13904 got Segmentation Fault !!!"), crash);
        assert_eq!(sig("DAMN ! worker 7 (pid: 13904) died :( trying respawn ..."), None, "how, it does not say");
        let full = "Sun Nov 22 12:24:07 2026 - *** uWSGI listen queue of socket \"127.0.0.1:9441\" (fd: 3) full !!! (11/10) ***";
        assert_eq!(sig(full).map(|h| h.0), Some(Sig::AppQueueFull));
        assert_eq!(sig("*** uWSGI listen queue of socket \"127.0.0.1:9441\" is fine ***"), None);
        assert_eq!(request_of_exception(b"GET /x HARAKIRI [core 0] 1.2.3.4 - GET /y since 1"), None);
    }

    #[test]
    fn client_certificates_that_go_refused() {
        let missing = "http: TLS handshake error from 172.70.240.21:52882: tls: client didn't provide a certificate";
        assert_eq!(sig(missing), Some((Sig::PeerClientCert, None, None)));
        assert_eq!(peer_of_handshake(missing.as_bytes()), Some(&b"172.70.240.21"[..]));
        let foreign = "http: TLS handshake error from [2606:4700::1]:443: tls: failed to verify certificate: x509: certificate signed by unknown authority";
        assert_eq!(sig(foreign), Some((Sig::PeerClientCert, None, None)));
        assert_eq!(peer_of_handshake(foreign.as_bytes()), Some(&b"2606:4700::1"[..]));
        assert_eq!(sig("http: TLS handshake error from 172.70.240.21:52882: EOF"), None);
        assert_eq!(
            sig("http: TLS handshake error from 172.70.240.21:52882: remote error: tls: bad certificate"),
            None,
            "the peer refused ours"
        );
        assert_eq!(sig("GET /http: TLS handshake error from 1.2.3.4:5: tls: client didn't provide a certificate"), None);
    }

    #[test]
    fn exceptions_of_monolog() {
        let laravel = "production.ERROR: Call to a member function f() on null {\"userId\":7,\"exception\":\"[object] (Error(code: 0): Call to a member function f() on null at /srv/app/Services/Price.php:6)\n[stacktrace]\n#0 /srv/app/Services/Price.php(5): App\\Services\\Price->tier()\n#1 {main}\n\"} ";
        assert_eq!(sig(laravel), Some((Sig::PhpFatal, None, None)));
        assert_eq!(monolog_file(laravel.as_bytes()).map(|f| f.0), Some(&b"/srv/app/Services/Price.php"[..]));
        let symfony = "request.CRITICAL: Uncaught PHP Exception TypeError: \"boom\" at Price.php line 12 {\"exception\":\"[object] (TypeError(code: 0): boom at /srv/src/Price.php:12)\"} []";
        assert_eq!(sig(symfony), Some((Sig::PhpFatal, None, None)));
        assert_eq!(sig("production.WARNING: slow {\"exception\":\"[object] (Error(code: 0): boom at /srv/a.php:6)\"} []"), None);
        assert_eq!(sig("production.ERROR: payment refused {\"order\":12} "), None);
        let quoted = "production.ERROR: visitor wrote {\"exception\":\"[object] (Error(code: 0): boom at /srv/a.php:6)\"} [] and more";
        assert_eq!(sig(quoted), None);
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
    fn where_it_listens() {
        let at = |text: &'static str| {
            let mut line = Line::new(LineKind::Other, Stack::App);
            line.message = Cow::Borrowed(text.as_bytes());
            signature(&line).filter(|h| h.sig == Sig::AppListening).and_then(|h| h.name)
        };
        assert_eq!(at("[9890] [INFO] Listening at: http://192.0.2.33:80 (9890)").as_deref(), Some("192.0.2.33:80"));
        assert_eq!(at("[2026-11-22 12:24:07 +0100] [7] [INFO] Listening at: http://[::]:443 (7)").as_deref(), Some("[::]:443"));
        assert_eq!(at("INFO:     Uvicorn running on http://0.0.0.0:80 (Press CTRL+C to quit)").as_deref(), Some("0.0.0.0:80"));
        let fastify = r#"{"level":30,"time":1795420727688,"pid":583,"hostname":"web1","msg":"Server listening at http://192.0.2.241:80"}"#;
        assert_eq!(at(fastify).as_deref(), Some("192.0.2.241:80"));
        assert_eq!(at("[7] [INFO] Listening at: unix:/run/shop.sock (7)"), None);
        let said = r#"{"level":30,"time":1,"pid":5,"hostname":"w","q":"x","msg":"Server listening at http://192.0.2.241:80"}"#;
        assert_eq!(at(said), None);
    }

    #[test]
    fn what_an_application_repeats_is_none() {
        assert_eq!(sig("[7] [INFO] user said: [1] [CRITICAL] WORKER TIMEOUT (pid:12009)"), None);
        assert_eq!(sig("[7] [CRITICAL] WORKER TIMEOUT (pid:12009) and more"), None);
    }
}
