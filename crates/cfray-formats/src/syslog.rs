//! Syslog files: RFC 3164 (`Nov 22 10:00:00 host tag[1]: text`), RFC 5424, rsyslog's and journalctl's ISO
//! stamps, and journalctl's other short forms. The text is read by `inner`.

use crate::fields::number::integer;
use crate::fields::text::present;
use crate::fields::time::{Parsed, epoch_time, iso_time};
use crate::inner::{self, Envelope, Inner};
use crate::signatures::python;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::stamps;
use crate::support::{self, level, score, severity, word};
use cfray_model::{Level, Line, LogTime, Stack};
use nom::Parser;
use nom::bytes::complete::{take_till1, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{map_opt, opt};
use nom::sequence::{delimited, terminated};

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "syslog",
    title: "Syslog file (RFC 3164, RFC 5424, ISO stamps) or journalctl text",
    docs: "https://www.rfc-editor.org/rfc/rfc5424",
    stack: Stack::App,
    detect,
    samples: &[
        "Nov 22 17:52:14 web1 apache2[2211]: [Sun Nov 22 17:52:14.098937 2026] [core:notice] [pid 13843:tid 13843] AH00052: child pid 13901 exit signal Segmentation fault (11)",
        "<190>Nov 22 17:52:14 web1 nginx: 172.68.70.190 - - [22/Nov/2026:17:52:14 +0530] \"GET / HTTP/1.1\" 200 9102 \"-\" \"okhttp/4.12.0\"",
        "2026-11-22T12:24:07.123456+00:00 web1 kernel: [20412.213083] Out of memory: Killed process 2213 (php-fpm8.2) total-vm:812345kB, anon-rss:654321kB, file-rss:0kB, shmem-rss:1024kB, UID:33 pgtables:1500kB oom_score_adj:0",
        "<28>1 2026-11-22T12:24:07.123456Z web1 php-fpm 812 - [meta sequenceId=\"1\"] [WARNING] [pool www] child 9 exited on signal 11 (SIGSEGV) after 4.813516 seconds from start",
        "2026-11-22T12:24:07+0000 web1 systemd[1]: nginx.service: Main process exited, code=killed, status=11/SEGV",
    ],
};

/// Parser of one syslog file.
#[derive(Debug)]
struct Syslog {
    inner: Inner,
}

impl RecordParser for Syslog {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        split(line).is_some()
    }

    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        match split(record_so_far) {
            Some((_, message)) if inner::continues(message, line) || is_traceback(record_so_far, line) => true,
            _ => !self.starts_record(line),
        }
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let (envelope, message) = split(record).ok_or_else(|| LineError::new(why_not(record), 0))?;
        Ok(self.inner.open(&envelope, message))
    }
}

/// Longer tracebacks are cut, as in other carriers.
const TRACEBACK_LINES: usize = 200;

/// Does a line, with a header of its own, go on with the traceback of the same process that the record holds?
fn is_traceback(so_far: &[u8], line: &[u8]) -> bool {
    let Some((next, text)) = split(line) else { return false };
    let more = memchr::memchr(b'\n', so_far).is_some();
    if !python::may_belong(text, more) {
        return false;
    }
    let mut joined: Vec<u8> = Vec::new();
    for (i, piece) in so_far.split(|&b| b == b'\n').enumerate() {
        let Some((envelope, message)) = split(piece) else { return false };
        if i == TRACEBACK_LINES || (envelope.tag, envelope.pid) != (next.tag, next.pid) || (i == 0 && !python::opens(message)) {
            return false;
        }
        if i > 0 {
            joined.push(b'\n');
        }
        joined.extend_from_slice(message);
    }
    python::continues(&joined, text)
}

fn why_not(record: &[u8]) -> &'static str {
    let mut words = record.split(|&b| b == b' ');
    let month = words.next().unwrap_or_default();
    let day = words.find(|w| !w.is_empty()).unwrap_or_default();
    if month.len() >= 3 && !month.is_ascii() && integer(day).is_some() {
        return "the month is not an English abbreviation";
    }
    if record.starts_with(b"-- ") {
        return "a heading of journalctl, not a message";
    }
    "no stamp of syslog at the start of the line"
}

/// Cuts a line into what the header says and the message.
pub(crate) fn split(line: &[u8]) -> Option<(Envelope<'_>, &[u8])> {
    let (rest, priority) = match support::priority(line) {
        Ok((rest, priority)) => (rest, Some(priority)),
        Err(_) => (line, None),
    };
    let level = priority.and_then(|p| severity(p & 7));
    if priority.is_some()
        && let Some(found) = rfc5424(rest, level)
    {
        return Some(found);
    }
    let (rest, time) = stamp(rest)?;
    let (mut envelope, message) = host_and_tag(rest, time.offset_s.is_some())?;
    envelope.time = Some(time);
    envelope.level = level;
    Some((envelope, message))
}

/// The stamps of the one-line forms, each with the blank after it.
fn stamp(line: &[u8]) -> Option<(&[u8], LogTime)> {
    let parsed = match line {
        [b'0'..=b'9', _, _, _, b'-', ..] if line.get(10) == Some(&b'T') && line.get(19) != Some(&b',') => {
            iso_time(line).ok().filter(|(_, time)| time.offset_s.is_some())
        }
        // `journalctl -o short-unix`.
        [b'1'..=b'9', b'0'..=b'9', ..] if line.get(10) == Some(&b'.') => epoch_time(line).ok(),
        // `journalctl -o short-full`: `Sun 2026-11-22 12:24:07 UTC host ...`.
        [_, _, _, b' ', b'0'..=b'9', ..] if line.get(8) == Some(&b'-') => full(line).ok(),
        _ => stamps::syslog(line).ok(),
    };
    let (rest, time) = parsed?;
    Some((rest.strip_prefix(b" ")?, time))
}

fn full(line: &[u8]) -> Parsed<'_, LogTime> {
    let weekday = take_while_m_n(3, 3, |b: u8| b.is_ascii_alphabetic());
    let zone = take_till1(|b| b == b' ');
    map_opt((weekday, char(' '), iso_time, char(' '), zone), |(_, _, time, _, zone)| {
        Some(LogTime { offset_s: Some(stamps::zone_offset(zone, time.civil_ns)?), ..time })
    })
    .parse(line)
}

/// `host tag[1]: message`, `tag: message` (nginx with `nohostname`), `host message`. With an ISO stamp
/// there must be a tag: too many applications begin their lines with such a stamp.
fn host_and_tag(rest: &[u8], need_tag: bool) -> Option<(Envelope<'_>, &[u8])> {
    if let Some((tag, pid, message)) = tagged(rest) {
        let alone = Envelope { tag: Some(tag), pid, ..Envelope::default() };
        return (!need_tag).then_some((alone, message));
    }
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (host, after) = rest.split_at(end);
    let after = after.strip_prefix(b" ").unwrap_or(after);
    let is_host = host.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'@' | b'/'))
        && host.iter().any(u8::is_ascii_alphanumeric)
        && level(host).is_none();
    if !is_host {
        return (!need_tag).then_some((Envelope::default(), rest));
    }
    let host = Envelope { host: Some(host), ..Envelope::default() };
    match tagged(after.trim_ascii_start()) {
        Some((tag, pid, message)) => Some((Envelope { tag: Some(tag), pid, ..host }, message)),
        None => (!need_tag).then_some((host, after)),
    }
}

/// `tag: `, `tag[1]: `: tag, process id, message.
fn tagged(text: &[u8]) -> Option<(&[u8], Option<u64>, &[u8])> {
    let (rest, (name, pid)) = name_and_pid(text).ok()?;
    if name.len() > 64 {
        return None;
    }
    match rest.first() {
        None => Some((name, pid.and_then(integer), rest)),
        Some(b' ') => Some((name, pid.and_then(integer), rest.get(1..)?)),
        // `a::b` and `http://` are no tags; a message may follow at once after a process id.
        Some(_) if pid.is_some() => Some((name, pid.and_then(integer), rest)),
        Some(_) => None,
    }
}

fn name_and_pid(text: &[u8]) -> Parsed<'_, (&[u8], Option<&[u8]>)> {
    let name = take_while1(|b: u8| b.is_ascii_graphic() && !matches!(b, b'[' | b']' | b':' | b'<' | b'>' | b'"' | b'='));
    let pid = delimited(char('['), take_till1(|b| b == b']' || b == b' '), char(']'));
    terminated((name, opt(pid)), char(':')).parse(text)
}

/// `1 2026-11-22T10:00:00Z host app 812 msgid [data] message`, after the priority.
fn rfc5424(rest: &[u8], level: Option<Level>) -> Option<(Envelope<'_>, &[u8])> {
    let rest = rest.strip_prefix(b"1 ")?;
    let (rest, (stamp, host, app, pid, _)) = (word, word, word, word, word).parse(rest).ok()?;
    let time = match present(stamp) {
        Some(stamp) => match iso_time(stamp) {
            Ok((b"", time)) => Some(time),
            _ => return None,
        },
        None => None,
    };
    let message = after_data(rest)?;
    let message = message.strip_prefix(b" ").unwrap_or(message);
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    let envelope = Envelope { time, host: present(host), tag: present(app), pid: integer(pid), level, ..Envelope::default() };
    Some((envelope, message))
}

/// What follows the structured data: `-`, or elements whose values may hold `\"`, `\\` and `\]`.
fn after_data(mut rest: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = rest.strip_prefix(b"-") {
        return Some(rest);
    }
    while let Some(element) = rest.strip_prefix(b"[") {
        let mut quoted = false;
        let mut escaped = false;
        let end = element.iter().position(|&b| {
            let ends = b == b']' && !quoted;
            match b {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                _ => {}
            }
            ends
        })?;
        rest = element.get(end + 1..)?;
        if matches!(rest.first(), None | Some(b' ')) {
            return Some(rest);
        }
    }
    None
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    // Continuation lines are indented; headings of journalctl begin with dashes.
    let heads: Vec<&[u8]> =
        sample.lines.iter().copied().filter(|l| !l.first().is_some_and(|b| b.is_ascii_whitespace()) && !l.starts_with(b"-- ")).collect();
    let read: Vec<(Envelope<'_>, &[u8])> = heads.iter().filter_map(|l| split(l)).collect();
    if read.is_empty() || read.len() * 2 < heads.len() {
        return None;
    }
    let tagged = read.iter().filter(|(e, _)| e.tag.is_some()).count();
    let why = format!("{} of {} sampled lines open with a syslog stamp, {tagged} with a tag", read.len(), heads.len());
    let good = u32::try_from(read.len()).ok()?;
    let weight = if tagged > 0 { 900 } else { 400 };
    let inner = Inner::learn(read.iter().copied());
    Some(Detection { score: score(weight, good, u32::try_from(heads.len()).ok()?), why, parser: Box::new(Syslog { inner }) })
}

#[cfg(test)]
#[path = "syslog_tests.rs"]
mod tests;
