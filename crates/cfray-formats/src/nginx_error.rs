//! nginx's error log (`ngx_log_error_core`, `ngx_http_log_error_handler`).
//!
//! ```text
//! YYYY/MM/DD HH:MM:SS [level] PID#TID: [*CID ]MESSAGE[, client: A, server: S[, request: "R"]...]
//! ```
//! A record ends at 2,048 bytes at the latest (4,096 in OpenResty), newline included; nothing is
//! escaped. [`Line::message`] is the message without its tail; `raw_text` is set for FastCGI stderr,
//! for `broken header:` and for every record whose shape nginx itself would not have written.

use crate::fields::addr::is_listen;
use crate::fields::number::integer;
use crate::fields::suffix::{self, FIND_CLIENT, FIND_SERVER, Found, Suffix};
use crate::fields::text::present;
use crate::fields::time::{Parsed, nginx_error_time};
use crate::fields::{modsec, request};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use cfray_model::{Level, Line, LineKind, LogTime, RayId, Stack};
use memchr::memmem::Finder;
use nom::Parser;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::char;
use nom::combinator::{map_opt, opt};
use nom::sequence::{delimited, preceded, terminated};
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "nginx-error",
    title: "nginx error log",
    docs: "https://nginx.org/en/docs/ngx_core_module.html#error_log",
    stack: Stack::Nginx,
    detect,
    samples: &[
        r#"2026/11/22 12:30:36 [error] 18376#18376: *4 connect() failed (111: Connection refused) while connecting to upstream, client: 172.70.240.203, server: www.example.com, request: "GET /feed/slow?u=28244 HTTP/1.1", upstream: "http://127.0.0.1:9/feed/slow?u=28244", host: "www.example.com""#,
        "2026/11/22 12:30:36 [alert] 18370#18370: worker process 18376 exited on signal 11 (core dumped)",
        "2026/11/22 12:30:37 [error] 18376#18376: *26 FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught Exception: x in /srv/a.php:3\nStack trace:\n#0 {main}\n  thrown in /srv/a.php on line 3\" while reading response header from upstream, client: 172.68.70.190, server: www.example.com, request: \"GET / HTTP/1.1\", upstream: \"fastcgi://unix:/run/php/www.sock:\", host: \"www.example.com\"",
        "2026/11/22 12:30:38 [error] 18376#18376: *27 broken header: \"GET / HTTP/1.1\nHost: www.example.com\nCF-RAY: 9e0ad402c9afa70a-FRA\n\n\" while reading PROXY protocol, client: 172.68.70.190, server: 0.0.0.0:80",
        "2026/11/22 12:30:38 [info] 18376#18376: *28 client timed out (110: Connection timed out) while waiting for request, client: 172.68.70.33, server: 0.0.0.0:443",
    ],
};

/// nginx's `NGX_MAX_ERROR_STR`, newline included.
const NGINX_MAX: usize = 2048;
/// The same in OpenResty.
const OPENRESTY_MAX: usize = 4096;

const STDERR: &[u8] = b"FastCGI sent in stderr: \"";
const BROKEN: &[u8] = b"broken header: \"";
/// Built once, as those of the tail.
static FIND_READING: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\" while reading "));

/// Parser of one error log.
#[derive(Clone, Debug)]
pub struct NginxError {
    /// Longest record in bytes, newline included.
    max: usize,
}

impl Default for NginxError {
    fn default() -> Self {
        Self { max: NGINX_MAX }
    }
}

impl NginxError {
    /// A parser for the file that a sample is from: a line longer than nginx writes means OpenResty.
    pub fn learned(sample: &Sample<'_>) -> Self {
        let longest = sample.lines.iter().filter(|l| starts(l)).map(|l| l.len()).max().unwrap_or(0);
        Self { max: if longest >= NGINX_MAX { OPENRESTY_MAX } else { NGINX_MAX } }
    }
}

impl RecordParser for NginxError {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        starts(line)
    }

    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        continues(record_so_far, line, self.max)
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        parse(record).or_else(|error| {
            // Containers often write both logs to one stream.
            crate::clf::parse_plain(record, Stack::Nginx).map_err(|_| error)
        })
    }
}

/// Everything before the message.
struct Prefix {
    time: LogTime,
    level: Level,
    pid: u64,
    tid: u64,
    cid: Option<u64>,
}

fn level(input: &[u8]) -> Parsed<'_, Level> {
    map_opt(take_while1(|b: u8| b.is_ascii_lowercase()), |word: &[u8]| {
        Some(match word {
            b"emerg" => Level::Emerg,
            b"alert" => Level::Alert,
            b"crit" => Level::Crit,
            b"error" => Level::Error,
            b"warn" => Level::Warn,
            b"notice" => Level::Notice,
            b"info" => Level::Info,
            b"debug" => Level::Debug,
            _ => return None,
        })
    })
    .parse(input)
}

fn number(input: &[u8]) -> Parsed<'_, u64> {
    map_opt(take_while1(|b: u8| b.is_ascii_digit()), integer).parse(input)
}

fn prefix(input: &[u8]) -> Parsed<'_, Prefix> {
    let (rest, (time, level, pid, _, tid, cid)) = (
        terminated(nginx_error_time, char(' ')),
        delimited(char('['), level, tag(&b"] "[..])),
        number,
        char('#'),
        terminated(number, tag(&b": "[..])),
        opt(terminated(preceded(char('*'), number), char(' '))),
    )
        .parse(input)?;
    Ok((rest, Prefix { time, level, pid, tid, cid }))
}

/// Does the line open with the prefix of an error record?
pub fn starts(line: &[u8]) -> bool {
    // Most lines of other formats fail here, before any combinator runs.
    line.get(4) == Some(&b'/') && line.get(19..21) == Some(b" [") && prefix(line).is_ok()
}

/// The last physical line of a record.
fn last_line(record: &[u8]) -> &[u8] {
    memchr::memrchr(b'\n', record).and_then(|at| record.get(at + 1..)).unwrap_or(record)
}

/// The rule of [`RecordParser::continues`] for records of at most `max` bytes.
fn continues(record: &[u8], line: &[u8], max: usize) -> bool {
    // The limit counts the final newline; nothing longer was ever one record.
    if record.len() + 1 + line.len() >= max {
        return false;
    }
    // Most lines of other formats fail here, before any combinator runs.
    if record.get(4) != Some(&b'/') {
        return false;
    }
    let Ok((message, head)) = prefix(record) else { return false };
    let last = last_line(record);
    if message.starts_with(STDERR) || message.starts_with(BROKEN) {
        // Behind a tail the record goes on as long as nothing else begins: the quoted text may hold a tail of its own,
        // and what is left of the record must not be cut off from it.
        return !closes_quote(last) || !(starts(line) || crate::clf::looks_plain(line));
    }
    if quotes_openly(message, &head) {
        return true;
    }
    !starts(line) && !crate::clf::looks_plain(line) && FIND_CLIENT.find(last).is_none()
}

/// Does the record quote a text that has not come to its end? Inside a wrapper only such a record goes on behind the
/// next header of the wrapper.
pub(crate) fn is_open(record: &[u8]) -> bool {
    let last = last_line(record);
    prefix(record).is_ok_and(|(message, head)| match message.starts_with(STDERR) || message.starts_with(BROKEN) {
        true => !closes_quote(last),
        false => quotes_openly(message, &head),
    })
}

/// A line of a connection that quotes something (a decoded path may hold a line break) and has not come to its
/// tail: nginx always writes the tail behind such a message, so what follows belongs to it. Lines of level debug
/// have none.
fn quotes_openly(message: &[u8], head: &Prefix) -> bool {
    head.cid.is_some() && head.level != Level::Debug && memchr::memchr(b'"', message).is_some() && !ends_in_tail(message)
}

/// `, client: A, server: S` and whole quotes behind it, to the end: also the tails of the stream and mail modules.
fn ends_in_tail(message: &[u8]) -> bool {
    let Some(at) = FIND_CLIENT.find_iter(message).last() else { return false };
    let tail = message.get(at..).unwrap_or_default();
    FIND_SERVER.find(tail).is_some() && memchr::memchr(b'\n', tail).is_none() && memchr::memchr_iter(b'"', tail).count().is_multiple_of(2)
}

/// `" while reading response header from upstream, client: `: the end of quoted raw text.
fn closes_quote(line: &[u8]) -> bool {
    suffix::last_while(line).is_some_and(|at| line.get(at..).is_some_and(|tail| FIND_CLIENT.find(tail).is_some()))
}

/// Parses one record of the error log and nothing else.
pub fn parse(record: &[u8]) -> Result<Line<'_>, LineError> {
    let (text, prefix) =
        prefix(record).map_err(|_| LineError::new("not `YYYY/MM/DD hh:mm:ss [level] pid#tid: ` of an nginx error log", 0))?;
    let mut line = Line::new(LineKind::Error, Stack::Nginx);
    line.time = Some(prefix.time);
    line.level = Some(prefix.level);
    line.pid = Some(prefix.pid);
    line.tid = Some(prefix.tid);
    line.cid = prefix.cid;
    let stderr = text.starts_with(STDERR);
    let broken = text.starts_with(BROKEN);
    line.raw_text = stderr || broken || odd_shape(text, prefix.cid.is_some());
    let message = match suffix::find(text) {
        Found::One(at, suffix) => {
            set_suffix(&mut line, &suffix);
            text.get(..at).unwrap_or(text)
        }
        Found::Forged(_) => {
            line.raw_text = true;
            text
        }
        Found::None => text,
    };
    if broken {
        set_broken_header(&mut line, message);
    }
    modsec::set(&mut line, message);
    line.message = Cow::Borrowed(message);
    Ok(line)
}

/// True for shapes that nginx does not write by itself: more than one physical line outside of
/// quoted stderr (some client text held a newline), or the end of such a quote without its start.
fn odd_shape(text: &[u8], of_connection: bool) -> bool {
    memchr::memchr(b'\n', text).is_some() || (!of_connection && FIND_READING.find(text).is_some())
}

fn set_suffix<'a>(line: &mut Line<'a>, suffix: &Suffix<'a>) {
    line.client = Some(Cow::Borrowed(suffix.client));
    if let Some(text) = suffix.request {
        request::set(line, text);
    }
    let server = present(suffix.server).filter(|s| *s != b"_" && !is_listen(s));
    line.host = suffix.host.and_then(present).or(server).map(Cow::Borrowed);
    line.upstream = suffix.upstream.and_then(present).map(Cow::Borrowed);
    line.referer = suffix.referrer.and_then(present).map(Cow::Borrowed);
}

/// The listener expected PROXY protocol and quotes the HTTP request that came instead. That text
/// is the client's, but the `CF-RAY` header in it is Cloudflare's if the connection is: it overwrites one
/// sent by others. Two different ones mean that somebody tried, so none is taken.
fn set_broken_header<'a>(line: &mut Line<'a>, message: &'a [u8]) {
    let quoted = message.get(BROKEN.len()..).unwrap_or_default();
    let mut rays: [Option<RayId>; 2] = [None, None];
    for (i, header) in quoted.split(|&b| b == b'\n').enumerate() {
        let header = header.strip_suffix(b"\r").unwrap_or(header);
        if i == 0 {
            request::set(line, header);
            continue;
        }
        if header.is_empty() {
            break;
        }
        let Some(colon) = memchr::memchr(b':', header) else { continue };
        let (name, value) = header.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"cf-ray") {
            let ray = RayId::parse(value);
            match rays {
                [None, _] => rays[0] = ray,
                [Some(_), None] if rays[0] != ray => rays[1] = ray,
                _ => {}
            }
        } else if name.eq_ignore_ascii_case(b"host") && line.host.is_none() {
            line.host = present(value).map(Cow::Borrowed);
        }
    }
    if let [Some(ray), None] = rays
        && line.client.as_deref().is_some_and(is_trusted)
    {
        line.ray = Some(ray);
    }
}

/// Cloudflare, or a front on the machine or its own network that passes Cloudflare's connections on.
fn is_trusted(client: &[u8]) -> bool {
    let ip = std::str::from_utf8(client).ok().and_then(|text| text.parse::<IpAddr>().ok());
    ip.is_some_and(|ip| crate::is_cloudflare(ip) || crate::fields::addr::is_local(ip))
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let parser = NginxError::learned(sample);
    let records = sample.records(&parser);
    let read = records.iter().filter(|r| starts(r)).count();
    if read == 0 {
        return None;
    }
    let share = read * 1000 / records.len();
    let plain = records.iter().filter(|r| crate::clf::looks_plain(r)).count();
    let note = if plain > 0 { format!("; {plain} are access lines of the same server") } else { String::new() };
    Some(Detection {
        score: u32::try_from(share).unwrap_or(0),
        why: format!("{read} of {} records open with nginx's date, [level] and pid#tid{note}", records.len()),
        parser: Box::new(parser),
    })
}

#[cfg(test)]
#[path = "nginx_error_tests.rs"]
mod tests;
