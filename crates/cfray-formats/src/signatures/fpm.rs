//! PHP-FPM's main log: `sapi/fpm/fpm/fpm_children.c`, `fpm_process_ctl.c`, `fpm_request.c`.

use super::php;
use super::table::{Pattern, Table, bare, number, process};
use cfray_model::{Line, Sig, SigHit, Text};
use std::sync::LazyLock;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::new(PATTERNS));

/// The signature of a line of FPM's log. What children said is PHP's, never FPM's.
pub(super) fn signature(line: &Line<'_>) -> Option<SigHit> {
    if line.raw_text {
        return php::signature(&line.message);
    }
    if memchr::memmem::find(&line.message, b"\nscript_filename = ").is_some() {
        let name = line.module.as_deref().map(|pool| Text::from(String::from_utf8_lossy(pool)));
        return Some(SigHit { pid: line.pid, name, ..bare(Sig::FpmSlow) });
    }
    let mut hit = TABLE.find(line, &line.message)?;
    if hit.sig == Sig::FpmTimeout {
        hit.num = timeout_ms(&line.message);
    }
    Some(hit)
}

/// `(248.831385 sec)` at the end of the message, in milliseconds. Read from the right: the request
/// in the middle is the client's.
fn timeout_ms(message: &[u8]) -> Option<i64> {
    let tail = message.strip_suffix(b" sec), terminating")?;
    let open = memchr::memrchr(b'(', tail)?;
    let text = tail.get(open + 1..)?;
    let (whole, fraction) = match memchr::memchr(b'.', text) {
        Some(dot) => (text.get(..dot)?, text.get(dot + 1..)?),
        None => (text, &b""[..]),
    };
    let millis = fraction.iter().chain(b"000").take(3).try_fold(0i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))?;
    number(whole)?.checked_mul(1000)?.checked_add(millis)
}

#[rustfmt::skip]
const PATTERNS: &[Pattern] = &[
    process(Sig::FpmChildSignal, r"^\[pool (?P<name>[^\]]+)\] child (?P<pid>\d+) exited on signal (?P<num>\d+)(?: [()A-Za-z0-9+ -]*)? after [0-9.]+ seconds from start$"),
    process(Sig::FpmChildCode, r"^\[pool (?P<name>[^\]]+)\] child (?P<pid>\d+) exited with code (?P<num>\d+) after [0-9.]+ seconds from start$"),
    process(Sig::FpmTimeout, r"^\[pool (?P<name>[^\]]+)\] child (?P<pid>\d+), script '(?s:.*) execution timed out \([0-9.]+ sec\), terminating$"),
    process(Sig::FpmSlow, r"^\[pool (?P<name>[^\]]+)\] child (?P<pid>\d+), script '(?s:.*) executing too slow \([0-9.]+ sec\), logging$"),
    process(Sig::FpmMaxChildren, r"^\[pool (?P<name>[^\]]+)\] server reached (?:pm\.)?max_children setting \((?P<num>\d+)\), consider raising it$"),
    process(Sig::FpmMaxChildren, r"^The maximum number of processes has been reached\."),
    process(Sig::FpmBusy, r"^\[pool (?P<name>[^\]]+)\] seems busy \("),
    process(Sig::FpmStop, r"^(?:Terminating \.\.\.|Finishing \.\.\.|exiting, bye-bye!)$"),
    process(Sig::FpmReload, r#"^(?:Reloading in progress \.\.\.|reloading: execvp\(.*|failed processes threshold \(.*\) is reached, initiating reload)$"#),
    process(Sig::FpmStart, r"^(?:fpm is running, pid (?P<pid>\d+)|ready to handle connections)$"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(TABLE.compiled(), (PATTERNS.len(), PATTERNS.len()));
    }

    #[test]
    fn seconds_become_milliseconds() {
        assert_eq!(timeout_ms(b"x (5.305142 sec), terminating"), Some(5_305));
        assert_eq!(timeout_ms(b"x (60 sec), terminating"), Some(60_000));
        assert_eq!(timeout_ms(b"x (request: \"GET /a (1 sec), terminating\") execution timed out (2.5 sec), terminating"), Some(2_500));
        assert_eq!(timeout_ms(b"x (5.x sec), terminating"), None);
        assert_eq!(timeout_ms(b"(99999999999999999999 sec), terminating"), None);
    }
}
