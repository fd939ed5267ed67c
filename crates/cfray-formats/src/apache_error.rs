//! Apache's error log, 2.4 and 2.2 (`server/log.c`).
//!
//! ```text
//! 2.4: [Www Mmm dd HH:MM:SS.uuuuuu YYYY] [module:level] [pid P[:tid T]] [file.c(line): ][(OS)text: ][[client A:port] ]MESSAGE[, referer: R]
//! 2.2: [Www Mmm dd HH:MM:SS YYYY] [level] [client A] [(OS)text: ]MESSAGE[, referer: R]
//! ```
//! In syslog the time is missing; lines written before the log is open have no prefix at all.
//! Apache escapes what it logs, so one record is one line and `raw_text` stays false; it is set
//! for lines without any prefix, since every child process may write such lines.
//!
//! [`Line::message`] is unescaped and keeps its `AHnnnnn: `; an operating-system error stands in
//! front of it, as logged: `(104)Connection reset by peer: AH01102: error reading ...`.

use crate::fields::addr::split_port;
use crate::fields::modsec;
use crate::fields::number::integer;
use crate::fields::text::{present, unescape_apache};
use crate::fields::time::{Parsed, apache_error_time, iso_time};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use cfray_model::{Level, Line, LineKind, LogTime, Stack};
use memchr::memmem;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::char;
use nom::combinator::{map_opt, opt, recognize, rest, verify};
use nom::sequence::{delimited, preceded, terminated};
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "apache-error",
    title: "Apache error log (2.4 and 2.2)",
    docs: "https://httpd.apache.org/docs/2.4/mod/core.html#errorlogformat",
    stack: Stack::Apache,
    detect,
    samples: &[
        "[Sun Nov 22 12:30:36.123456 2026] [proxy_http:error] [pid 751869:tid 140156278736640] (104)Connection reset by peer: [client 172.68.70.190:51234] AH01102: error reading status line from remote server 127.0.0.1:8080, referer: https://www.example.com/",
        "[Sun Nov 22 12:30:36.123456 2026] [core:notice] [pid 1835] AH00052: child pid 1840 exit signal Segmentation fault (11)",
        "[Sun Nov 22 12:30:36 2026] [error] [client 2001:db8::7] (13)Permission denied: access to /x denied",
        "[Sun Nov 22 12:30:36.123456 2026] [:error] [pid 17705] [client 192.0.2.1:5000] PHP Fatal error:  Uncaught Exception: x in /srv/a.php:3\\nStack trace:\\n#0 {main}",
        "AH00558: httpd: Could not reliably determine the server's fully qualified domain name, using 192.0.2.114.",
    ],
};

/// Parser of one error log.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApacheError;

impl RecordParser for ApacheError {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        parse(record)
            .or_else(|error| {
                // Containers often write both logs to one stream.
                crate::clf::parse_plain(record, Stack::Apache).map_err(|_| error)
            })
            .or_else(|_| Ok(unprefixed(record)))
    }
}

pub(crate) fn level_of(word: &[u8]) -> Option<Level> {
    Some(match word {
        b"emerg" => Level::Emerg,
        b"alert" => Level::Alert,
        b"crit" => Level::Crit,
        b"error" => Level::Error,
        b"warn" => Level::Warn,
        b"notice" => Level::Notice,
        b"info" => Level::Info,
        b"debug" => Level::Debug,
        [b't', b'r', b'a', b'c', b'e', b'1'..=b'8'] => Level::Debug,
        _ => return None,
    })
}

fn number(input: &[u8]) -> Parsed<'_, u64> {
    map_opt(take_while1(|b: u8| b.is_ascii_digit()), integer).parse(input)
}

fn time(input: &[u8]) -> Parsed<'_, LogTime> {
    delimited(char('['), alt((apache_error_time, iso_time)), char(']')).parse(input)
}

/// `[module:level]` or `[level]`: the module is absent in 2.2, empty for some old modules.
fn module_level(input: &[u8]) -> Parsed<'_, (Option<&[u8]>, Level)> {
    let module = opt(terminated(take_while(|b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')), char(':')));
    let level = map_opt(take_while1(|b: u8| b.is_ascii_alphanumeric()), level_of);
    delimited(char('['), (module, level), char(']')).parse(input)
}

/// `[pid 123:tid 456]`, `[pid 123]`.
fn pid_tid(input: &[u8]) -> Parsed<'_, (u64, Option<u64>)> {
    delimited(tag(&b"[pid "[..]), (number, opt(preceded(tag(&b":tid "[..]), number))), char(']')).parse(input)
}

/// Fields of an `ErrorLogFormat` of one's own that stand among the usual ones: `[R:%L]`, `[C:%{c}L]`, `[vhost %v]`. Only
/// values of the server's making are passed over, and only under such a name: nothing that a client sends.
fn extras(mut input: &[u8]) -> &[u8] {
    const NAMES: &[&[u8]] =
        &[b"R:", b"C:", b"L:", b"vhost ", b"vhost:", b"host ", b"server ", b"unique_id ", b"uid ", b"id ", b"req ", b"conn "];
    const MOST: usize = 5;
    for _ in 0..MOST {
        let Some(inside) = input.strip_prefix(b"[") else { break };
        let Some(value) = NAMES.iter().find_map(|name| inside.strip_prefix(*name)) else { break };
        let end = value.iter().position(|b| !(b.is_ascii_alphanumeric() || b"._:@/+=?-".contains(b))).unwrap_or(value.len());
        let Some(after) = value.get(end..).and_then(|rest| rest.strip_prefix(b"]")) else { break };
        input = after.strip_prefix(b" ").unwrap_or(after);
    }
    input
}

/// `[client ADDR:PORT]` or `[remote ADDR:PORT]`: the address with its port.
fn peer(input: &[u8]) -> Parsed<'_, &[u8]> {
    let (rest, _) = alt((tag(&b"[client "[..]), tag(&b"[remote "[..]))).parse(input)?;
    terminated(take_while1(|b: u8| b != b']' && b != b' '), char(']')).parse(rest)
}

/// `proxy_util.c(3245): `, which stands there at level debug and below.
fn source_line(input: &[u8]) -> Parsed<'_, &[u8]> {
    let name = verify(take_while1(|b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')), |n: &[u8]| n.contains(&b'.'));
    recognize((name, char('('), number, tag(&b"): "[..]))).parse(input)
}

/// `(104)Connection reset by peer: `, `(EAI 2)...`, `(OS 10054)...`: without the final `: `.
pub(crate) fn os_error(input: &[u8]) -> Parsed<'_, &[u8]> {
    let kind = opt(alt((tag(&b"EAI "[..]), tag(&b"OS "[..]), tag(&b"os "[..]))));
    let (after, code) = recognize((char('('), kind, take_while1(|b: u8| b.is_ascii_hexdigit() || b == b'x'), char(')'))).parse(input)?;
    let Some(end) = memmem::find(after, b": ") else {
        return Err(nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Tag)));
    };
    let (text, tail) = after.split_at(end);
    let whole = input.get(..code.len() + text.len()).unwrap_or(code);
    Ok((tail.get(2..).unwrap_or_default(), whole))
}

/// `AH01102: ` at the start of a message.
pub fn ah_code(message: &[u8]) -> Option<u32> {
    let digits = message.strip_prefix(b"AH")?;
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(4..=6).contains(&len) || digits.get(len..len + 2) != Some(b": ") {
        return None;
    }
    integer(digits.get(..len)?).and_then(|n| u32::try_from(n).ok())
}

/// Parses one line with a prefix, or one that opens with an AH number, and nothing else.
pub fn parse(record: &[u8]) -> Result<Line<'_>, LineError> {
    const NO_PREFIX: LineError = LineError::new("not `[time] [module:level]` of an Apache error log", 0);
    let mut line = Line::new(LineKind::Error, Stack::Apache);
    let (text, stamp) = opt(terminated(time, opt(char(' ')))).parse(record).map_err(|_| NO_PREFIX)?;
    line.time = stamp;
    let text = if stamp.is_some() { extras(text) } else { text };
    let Ok((text, (module, level))) = terminated(module_level, opt(char(' '))).parse(text) else {
        if stamp.is_none() && ah_code(record).is_some() {
            return Ok(unprefixed(record));
        }
        return Err(LineError { at: record.len() - text.len(), ..NO_PREFIX });
    };
    line.level = Some(level);
    line.module = module.and_then(present).map(Cow::Borrowed);
    let text = if stamp.is_some() { extras(text) } else { text };
    let (text, ids) = opt(terminated(pid_tid, opt(char(' ')))).parse(text).map_err(|_| NO_PREFIX)?;
    let text = if stamp.is_some() { extras(text) } else { text };
    // A bare `[error]` is how many programs write a level: without time or pid it is not Apache's.
    if stamp.is_none() && ids.is_none() {
        return Err(NO_PREFIX);
    }
    line.pid = ids.map(|(pid, _)| pid);
    line.tid = ids.and_then(|(_, tid)| tid);
    // Since 2.4 the line has a module and the address always a port.
    let with_port = module.is_some();
    let (text, _) = opt(source_line).parse(text).map_err(|_| NO_PREFIX)?;
    let (text, before) = opt(os_error).parse(text).map_err(|_| NO_PREFIX)?;
    let (text, address) = opt(terminated(peer, opt(char(' ')))).parse(text).map_err(|_| NO_PREFIX)?;
    let (text, after) = if before.is_none() { opt(os_error).parse(text).map_err(|_| NO_PREFIX)? } else { (text, None) };
    // ModSecurity 2 writes the address once more.
    let (text, _) = opt(terminated(peer, char(' '))).parse(text).map_err(|_| NO_PREFIX)?;
    let (_, text): (&[u8], &[u8]) = rest::<_, nom::error::Error<&[u8]>>(text).map_err(|_| NO_PREFIX)?;

    line.client = address.map(|a| Cow::Borrowed(if with_port { split_port(a) } else { crate::fields::addr::split_port_if_addr(a) }));
    let message = set_referer(&mut line, text);
    line.code = ah_code(message);
    modsec::set(&mut line, message);
    line.message = match before.or(after) {
        None => unescape_apache(message),
        Some(os) => Cow::Owned([os, b": ", &unescape_apache(message)].concat()),
    };
    Ok(line)
}

/// The first `, referer: ` ends the message: what follows is a client's text.
fn set_referer<'a>(line: &mut Line<'a>, text: &'a [u8]) -> &'a [u8] {
    const KEY: &[u8] = b", referer: ";
    let Some(at) = memmem::find(text, KEY) else { return text };
    line.referer = text.get(at + KEY.len()..).and_then(present).map(unescape_apache);
    text.get(..at).unwrap_or(text)
}

/// A line without prefix: startup messages, and whatever children write to the error log.
pub(crate) fn unprefixed(record: &[u8]) -> Line<'_> {
    let mut line = Line::new(LineKind::Error, Stack::Apache);
    line.code = ah_code(record);
    line.message = Cow::Borrowed(record);
    line.raw_text = true;
    line
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let (mut stamped, mut modules, mut startup, mut plain) = (0usize, 0usize, 0usize, 0usize);
    for record in &sample.lines {
        match parse(record) {
            Ok(line) if line.time.is_some() => {
                stamped += 1;
                modules += usize::from(line.pid.is_some());
            }
            Ok(line) if line.pid.is_some() || line.code.is_some() => startup += 1,
            _ => plain += usize::from(crate::clf::looks_plain(record)),
        }
    }
    let read = stamped + startup;
    // Any text passes for what programs write to standard error: among too much of it a message proves nothing.
    let opens =
        sample.lines.first().is_some_and(|first| parse(first).is_ok_and(|l| l.time.is_some() || l.pid.is_some() || l.code.is_some()));
    if read == 0 || (!opens && read * 8 < sample.lines.len()) {
        return None;
    }
    let score = crate::nginx_access::share(read, sample.lines.len());
    let version = if modules * 2 > stamped { "2.4" } else { "2.2" };
    let note = if plain > 0 { format!("; {plain} are access lines of the same server") } else { String::new() };
    Some(Detection {
        score,
        why: format!("{read} of {} lines open as lines of Apache's error log ({version} form){note}", sample.lines.len()),
        parser: Box::new(ApacheError),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    fn sample(i: usize) -> Line<'static> {
        parse(FORMAT.samples[i].as_bytes()).unwrap()
    }

    #[test]
    fn a_2_4_line() {
        let line = sample(0);
        assert_eq!((line.pid, line.tid, line.code), (Some(751_869), Some(140_156_278_736_640), Some(1102)));
        assert_eq!(line.module.as_deref(), Some(&b"proxy_http"[..]));
        assert_eq!(line.client.as_deref(), Some(&b"172.68.70.190"[..]));
        assert_eq!(
            line.message.as_ref(),
            b"(104)Connection reset by peer: AH01102: error reading status line from remote server 127.0.0.1:8080"
        );
        assert_eq!(line.referer.as_deref(), Some(&b"https://www.example.com/"[..]));
        assert_eq!(line.time.unwrap().precision_ns, 1_000);
        assert!(!line.raw_text);
    }

    #[test]
    fn a_2_2_line() {
        let line = sample(2);
        assert_eq!((line.module.as_deref(), line.level), (None, Some(Level::Error)));
        assert_eq!(line.client.as_deref(), Some(&b"2001:db8::7"[..]));
        assert_eq!(line.message.as_ref(), b"(13)Permission denied: access to /x denied");
    }

    #[test]
    fn escapes_are_undone_and_the_module_may_be_empty() {
        let line = sample(3);
        assert_eq!(line.module, None);
        assert!(line.message.ends_with(b"\nStack trace:\n#0 {main}"));
    }

    #[test]
    fn other_forms() {
        let line = parse(b"[proxy:error] [pid 7:tid 9] (2)No such file or directory: AH02454: FCGI: attempt to connect").unwrap();
        assert_eq!((line.time, line.code, line.pid), (None, Some(2454), Some(7)));
        let line = parse(b"[Sun Nov 22 12:30:36.1 2026] [ssl:debug] [pid 7] ssl_engine_io.c(1103): [remote ::1:443] AH02000: x").unwrap();
        assert_eq!((line.client.as_deref(), line.code), (Some(&b"::1"[..]), Some(2000)));
        let line = parse(b"[Sun Nov 22 12:30:36.1 2026] [security2:error] [pid 7] [client 192.0.2.1:4] [client 192.0.2.1] ModSecurity: Access denied with connection close (phase 1). [hostname \"h\"] [uri \"/u\"] [unique_id \"Zx1\"], referer: http://r/").unwrap();
        assert!(line.message.starts_with(b"ModSecurity: Access denied"));
        assert_eq!((line.uri.as_deref(), line.log_id.as_deref()), (Some(&b"/u"[..]), Some(&b"Zx1"[..])));
        let line = parse(b"[2026-11-22 12:30:36.123] [core:error] [pid 7] x").unwrap();
        assert!(line.time.is_some());
        assert!(parse(b"[error] something").is_err());
        assert!(parse(b"plain text").is_err());
        assert!(ApacheError.parse(b"sh: 1: convert: not found").unwrap().raw_text);
    }

    #[test]
    fn fields_of_a_format_of_ones_own() {
        // The advanced example of httpd's documentation of ErrorLogFormat, and a virtual host in front.
        let line = parse(b"[2026-11-22 12:30:36.123456] [proxy_http:error] [R:W2cNbM6Xq3E] [C:W2cNbM6Xq3E] (104)Connection reset by peer: AH01102: error reading status line from remote server 127.0.0.1:8080").unwrap();
        assert_eq!((line.code, line.pid, line.time.is_some()), (Some(1102), None, true));
        let line = parse(b"[Sun Nov 22 12:30:36.1 2026] [vhost www.example.com] [core:notice] [pid 7:tid 8] AH00052: child pid 9 exit signal Segmentation fault (11)").unwrap();
        assert_eq!((line.code, line.pid, line.level), (Some(52), Some(7), Some(Level::Notice)));
        for text in [
            &b"[Sun Nov 22 12:30:36.1 2026] [Mozilla/5.0] [core:notice] [pid 7] AH00052: x"[..],
            b"[Sun Nov 22 12:30:36.1 2026] [R:a b] [core:notice] [pid 7] AH00052: x",
            b"[R:a] [core:notice] [pid 7] AH00052: x",
        ] {
            assert!(parse(text).is_err());
        }
    }

    #[test]
    fn client_text_cannot_become_a_code() {
        let line = parse(b"[Sun Nov 22 12:30:36.1 2026] [php:notice] [pid 7] [client 192.0.2.1:4] x AH00052: child pid 1 exit signal Killed (9), referer: AH00052: y").unwrap();
        assert_eq!(line.code, None);
        assert!(line.message.ends_with(b"(9)"));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
            let mut record = b"[Sun Nov 22 12:30:36.123456 2026] [core:error] [pid 1] ".to_vec();
            record.extend_from_slice(&bytes);
            prop_assert!(parse(&record).is_ok());
            prop_assert!(ApacheError.parse(&bytes).is_ok());
        }

        #[test]
        fn rendered_lines_read_back(pid in any::<u32>(), code in 1000u32..99_999, port in any::<u16>(), message in "[A-Za-z ./-]{1,50}") {
            let record = format!("[Sun Nov 22 12:30:36.123456 2026] [core:warn] [pid {pid}:tid 5] [client 2001:db8::9:{port}] AH{code:05}: {message}");
            let line = parse(record.as_bytes()).unwrap();
            prop_assert_eq!((line.pid, line.code), (Some(u64::from(pid)), Some(code)));
            prop_assert_eq!(line.client.as_deref(), Some(&b"2001:db8::9"[..]));
            let text = format!("AH{code:05}: {message}");
            prop_assert_eq!(line.message.as_ref(), text.as_bytes());
        }
    }
}
