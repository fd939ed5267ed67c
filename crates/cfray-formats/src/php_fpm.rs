//! PHP-FPM's main log, `sapi/fpm/fpm/zlog.c`: `[22-Nov-2026 10:00:00] LEVEL: message`, in local time
//! without a zone.
//!
//! Lines of PHP itself (`[22-Nov-2026 10:00:00 UTC] PHP Fatal error: ...`) may stand between them when
//! both write to one file, and raw lines of children when `decorate_workers_output` is off.

use crate::fields::request;
use crate::fields::time::Parsed;
use crate::php_error;
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::stamps;
use crate::support::{level, level_word, number, score};
use cfray_model::{Line, LineKind, Stack};
use nom::Parser;
use nom::bytes::complete::{tag, take_till1};
use nom::combinator::opt;
use nom::sequence::delimited;
use std::borrow::Cow;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "php-fpm",
    title: "PHP-FPM main log",
    docs: "php-src: sapi/fpm/fpm/zlog.c, fpm_children.c, fpm_request.c",
    stack: Stack::Fpm,
    detect,
    samples: &[
        "[22-Nov-2026 12:24:07] NOTICE: fpm is running, pid 318",
        "[22-Nov-2026 12:24:07] WARNING: [pool www] child 2101, script '/var/www/index.php' (request: \"GET /index.php?page=3\") execution timed out (30.022187 sec), terminating",
        "[22-Nov-2026 12:24:07] WARNING: [pool www] child 9 exited on signal 11 (SIGSEGV - core dumped) after 4.813516 seconds from start",
        "[22-Nov-2026 12:24:07] WARNING: [pool www] child 7 said into stderr: \"NOTICE: PHP message: PHP Warning:  Undefined array key 3 in /var/www/shop/catalog.php on line 9\"",
        "[22-Nov-2026 12:24:07.123456] DEBUG: pid 7, fpm_event_loop(), line 432: event module triggered 1 events",
        "[22-Nov-2026 12:24:07 UTC] PHP Fatal error:  Uncaught Error: boom in /srv/x.php:3\nStack trace:\n#0 {main}\n  thrown in /srv/x.php on line 3",
    ],
};

/// Parser of a main log.
#[derive(Debug)]
struct MainLog;

impl RecordParser for MainLog {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        is_stamped(line)
    }

    /// Only PHP's own messages have more lines; FPM's never do, and what children print in
    /// between must not become the tail of a line about a process.
    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        let first = record_so_far.split(|&b| b == b'\n').next().unwrap_or_default();
        if is_stamped(line) {
            return continues_output(first, line).unwrap_or(false);
        }
        php_error::parse(first).is_some() || (!is_stamped(first) && php_error::is_trace(line))
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        parse_line(record)
    }
}

/// Any record of the log: FPM's own, PHP's, and what children print.
pub(crate) fn parse_line(record: &[u8]) -> Result<Line<'_>, LineError> {
    if let Some(line) = joined_output(record).or_else(|| parse(record)).or_else(|| php_error::parse(record)) {
        return Ok(line);
    }
    if is_stamped(record) {
        return Err(LineError::new("neither a level of PHP-FPM nor a time zone of PHP after the stamp", 0));
    }
    if record.is_empty() {
        return Err(LineError::new("empty line", 0));
    }
    Ok(child_output(record))
}

fn is_stamped(line: &[u8]) -> bool {
    line.strip_prefix(b"[").is_some_and(|rest| stamps::php(rest).is_ok())
}

/// A stamped line of FPM.
pub(crate) fn parse(record: &[u8]) -> Option<Line<'_>> {
    let (rest, (time, zoned)) = stamps::php(record.strip_prefix(b"[")?).ok()?;
    if zoned {
        return None;
    }
    let mut line = with_level(rest.strip_prefix(b"] ")?)?;
    line.time = Some(time);
    Some(line)
}

/// `LEVEL: message`, and `[LEVEL] message` as syslog and the journal get it.
pub(crate) fn parse_unstamped(message: &[u8]) -> Option<Line<'_>> {
    let Some(rest) = message.strip_prefix(b"[") else { return with_level(message) };
    let close = memchr::memchr(b']', rest)?;
    let level = level(rest.get(..close)?)?;
    let mut line = about(rest.get(close + 1..)?.trim_ascii_start());
    line.level = Some(level);
    Some(line)
}

fn with_level(input: &[u8]) -> Option<Line<'_>> {
    let (rest, level) = level_word(input).ok()?;
    let mut line = about(rest.strip_prefix(b": ")?);
    line.level = Some(level);
    Some(line)
}

/// Reads what a message of FPM is about: pool, child, request, or output of a child.
fn about(message: &[u8]) -> Line<'_> {
    let mut line = Line::new(LineKind::Fpm, Stack::Fpm);
    let (message, writer) = opt(place).parse(message).unwrap_or((message, None));
    line.pid = writer;
    let (rest, pool) = opt(pool).parse(message).unwrap_or((message, None));
    line.module = pool.map(Cow::Borrowed);
    line.message = Cow::Borrowed(message);
    let Some(Ok((rest, child))) = rest.strip_prefix(b"child ").map(number) else { return line };
    line.pid = Some(child);
    if let Some(said) = rest.strip_prefix(b" said into std").and_then(|r| r.strip_prefix(b"err: ").or_else(|| r.strip_prefix(b"out: "))) {
        line.message = Cow::Borrowed(unquote(said));
        line.raw_text = true;
    } else if let Some(text) = request_of(rest) {
        request::set(&mut line, text);
    }
    line
}

/// `pid 7, fpm_event_loop(), line 432: ` of log_level = debug: the writer.
fn place(input: &[u8]) -> Parsed<'_, u64> {
    let function = (tag(", "), take_till1(|b| b == b','), tag(", line "), number, tag(": "));
    delimited(tag("pid "), number, function).parse(input)
}

/// `[pool www] `.
fn pool(input: &[u8]) -> Parsed<'_, &[u8]> {
    delimited(tag("[pool "), take_till1(|b| b == b']'), tag("] ")).parse(input)
}

/// Output of a child without its quotes. The closing one is missing when the output went on.
fn unquote(said: &[u8]) -> &[u8] {
    let said = said.strip_suffix(b", pipe is closed").unwrap_or(said);
    let said = said.strip_prefix(b"\"").unwrap_or(said);
    said.strip_suffix(b"\"").unwrap_or(said)
}

/// `GET /index.php?a=b` of `, script 'FILE' (request: "...") executi...`. The file exists on disk, so the
/// first mark is FPM's; the request is the client's, so its end is looked for from the right.
fn request_of(rest: &[u8]) -> Option<&[u8]> {
    let rest = rest.strip_prefix(b", script '")?;
    let open = b"' (request: \"";
    let start = memchr::memmem::find(rest, open)? + open.len();
    let end = [&b"\") execution timed out ("[..], b"\") executing too slow ("]
        .iter()
        .filter_map(|mark| memchr::memmem::rfind(rest, mark))
        .max()?;
    rest.get(start..end)
}

/// A line of FPM with its own stamp, or as syslog and the journal get it.
fn stamped_or_not(line: &[u8]) -> Option<Line<'_>> {
    parse(line).or_else(|| parse_unstamped(line))
}

/// Child and text of `child 7 said into stderr: "..."`.
fn output_of_child(line: &[u8]) -> Option<(u64, &[u8])> {
    let line = stamped_or_not(line).filter(|l| l.raw_text)?;
    match line.message {
        Cow::Borrowed(text) => Some((line.pid?, text)),
        Cow::Owned(_) => None,
    }
}

/// Is it a line that a child printed, wrapped by FPM?
pub(crate) fn is_output(line: &[u8]) -> bool {
    output_of_child(line).is_some()
}

/// FPM wraps each line of a trace on its own: is `line` the next one of the child whose output `first` is? `None` where `first` is no
/// child's output.
pub(crate) fn continues_output(first: &[u8], line: &[u8]) -> Option<bool> {
    let (child, _) = output_of_child(first)?;
    Some(output_of_child(line).is_some_and(|(pid, text)| pid == child && php_error::is_trace(text)))
}

/// Several wrapped lines of one message of PHP as one record.
pub(crate) fn joined_output(record: &[u8]) -> Option<Line<'_>> {
    let mut lines = record.split(|&b| b == b'\n');
    let mut first = lines.next().and_then(stamped_or_not).filter(|l| l.raw_text)?;
    let mut text: Vec<u8> = Vec::new();
    for line in lines {
        text.push(b'\n');
        text.extend_from_slice(output_of_child(line).map_or(line, |(_, said)| said));
    }
    if !text.is_empty() {
        first.message = Cow::Owned([&first.message, text.as_slice()].concat());
    }
    Some(first)
}

/// A line that a child printed, unwrapped.
fn child_output(record: &[u8]) -> Line<'_> {
    let mut line = Line::new(LineKind::Fpm, Stack::Fpm);
    line.message = Cow::Borrowed(record);
    line.raw_text = true;
    line
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let fpm = sample.lines.iter().filter(|l| parse(l).is_some()).count();
    let php = sample.lines.iter().filter(|l| php_error::parse(l).is_some()).count();
    let stamped = sample.lines.iter().filter(|l| is_stamped(l)).count();
    // Without stamps stand traces and what children print: they neither prove nor disprove.
    if fpm == 0 || (fpm + php) * 2 < stamped || stamped * 5 < sample.lines.len() {
        return None;
    }
    let why = format!("{fpm} of {} sampled lines are stamped lines of PHP-FPM, {php} of PHP", sample.lines.len());
    let good = u32::try_from(fpm + php).ok()?;
    Some(Detection { score: score(950, good, u32::try_from(stamped).ok()?), why, parser: Box::new(MainLog) })
}

#[cfg(test)]
#[path = "php_fpm_tests.rs"]
mod tests;
