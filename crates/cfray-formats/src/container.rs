//! Logs of containers: what a web server wrote, each line in the runtime's wrapper.
//!
//! * Docker's `json-file`: `{"log":"LINE\n","stream":"stderr","time":"2026-11-22T12:24:07.123456789Z"}`; a line over 16 KB
//!   comes in several objects, of which only the last ends with `\n`.
//! * CRI (containerd, CRI-O; what the kubelet keeps): `2026-11-22T12:24:07.123456789Z stderr F LINE`; `P` in place of `F`
//!   says that the line goes on in the next record of its stream.
//! * `docker compose logs`: `web-1  | LINE`, and `docker logs -t`, `kubectl logs --timestamps`: `STAMP LINE`. These
//!   two are taken only where what is inside is known.
//!
//! Which software writes is learned from the head of the file, for each service of a compose log. The
//! wrapper's stamp is UTC: it gives the zone of stamps inside that have none.

use crate::block;
use crate::fields::time::iso_time;
use crate::inner::{self, Envelope, Inner, settle_time};
use crate::spec::{Detection, FormatSpec, LineError, RecordParser, Sample};
use crate::support::{own, score};
use crate::{apache_error, haproxy, nginx_error, php_error, php_fpm};
use cfray_model::{Line, LogTime, Stack};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The registry's entry.
pub static FORMAT: FormatSpec = FormatSpec {
    name: "container",
    title: "Container log (Docker json-file, Kubernetes CRI, docker compose logs)",
    docs: "https://docs.docker.com/engine/logging/drivers/json-file/",
    stack: Stack::App,
    detect,
    samples: &[
        r#"{"log":"2026/11/22 12:24:07 [error] 29#29: *7 upstream prematurely closed connection while reading response header from upstream, client: 172.70.240.21, server: www.example.com, request: \"GET /cart HTTP/1.1\", upstream: \"http://127.0.0.1:8000/cart\", host: \"www.example.com\"\n","stream":"stderr","time":"2026-11-22T12:24:07.143000113Z"}"#,
        r#"{"log":"172.70.240.21 - - [22/Nov/2026:12:24:07 +0000] \"GET /cart HTTP/1.1\" 444 0 \"-\" \"okhttp/5.1.0\"\n","stream":"stdout","time":"2026-11-22T12:24:07.143100201Z"}"#,
        r#"{"log":"2026/11/22 12:24:09 [alert] 1#1: worker process 29 exited on signal 11\n","stream":"stderr","time":"2026-11-22T12:24:09.000200113Z"}"#,
    ],
};

/// The wrappers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wrapper {
    Docker,
    Cri,
    Compose,
    Stamped,
}

impl Wrapper {
    const ALL: [Self; 4] = [Self::Docker, Self::Cri, Self::Compose, Self::Stamped];

    const fn title(self) -> &'static str {
        match self {
            Self::Docker => "objects of Docker's json-file",
            Self::Cri => "lines of a Kubernetes container (CRI)",
            Self::Compose => "lines of docker compose logs",
            Self::Stamped => "lines with a runtime's stamp in front",
        }
    }
}

/// One line without its wrapper.
struct Piece<'a> {
    time: Option<LogTime>,
    /// Service of a compose log; elsewhere empty.
    service: &'a [u8],
    /// `stdout`, `stderr`; empty where the wrapper does not tell.
    stream: Cow<'a, [u8]>,
    /// The line goes on in the next piece.
    partial: bool,
    text: Cow<'a, [u8]>,
}

#[derive(Deserialize)]
struct Docker<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn peel(wrapper: Wrapper, line: &[u8]) -> Option<Piece<'_>> {
    match wrapper {
        Wrapper::Docker => docker(line),
        Wrapper::Cri => cri(line),
        Wrapper::Compose => compose(line),
        Wrapper::Stamped => stamped(line).map(|(time, text)| Piece { time: Some(time), ..plain(text) }),
    }
}

fn plain(text: &[u8]) -> Piece<'_> {
    Piece { time: None, service: b"", stream: Cow::Borrowed(b""), partial: false, text: Cow::Borrowed(text) }
}

fn docker(line: &[u8]) -> Option<Piece<'_>> {
    // Other objects have other keys: no need to read them.
    line.strip_prefix(b"{\"log\":\"")?;
    let docker: Docker<'_> = serde_json::from_slice(line).ok()?;
    let time = iso_time(docker.time.as_bytes()).ok().map(|(_, time)| time)?;
    let mut text = bytes(docker.log);
    let partial = text.last() != Some(&b'\n');
    let end = text.strip_suffix(b"\n").map_or(text.len(), |t| t.strip_suffix(b"\r").unwrap_or(t).len());
    match &mut text {
        Cow::Borrowed(text) => *text = text.get(..end).unwrap_or_default(),
        Cow::Owned(text) => text.truncate(end),
    }
    Some(Piece { time: Some(time), service: b"", stream: bytes(docker.stream), partial, text })
}

fn cri(line: &[u8]) -> Option<Piece<'_>> {
    let (time, rest) = stamped(line)?;
    let (stream, rest) = match rest.strip_prefix(b"stdout ") {
        Some(rest) => (&b"stdout"[..], rest),
        None => (&b"stderr"[..], rest.strip_prefix(b"stderr ")?),
    };
    // Tags are joined by colons; the first says whether the line is whole.
    let end = memchr::memchr(b' ', rest)?;
    let (tags, text) = rest.split_at(end);
    let partial = match tags {
        b"F" => false,
        b"P" => true,
        _ => match tags.get(..2)? {
            b"F:" => false,
            b"P:" => true,
            _ => return None,
        },
    };
    Some(Piece { stream: Cow::Borrowed(stream), partial, time: Some(time), ..plain(text.get(1..)?) })
}

/// The stamp of a runtime: RFC 3339 with a fraction of nanoseconds (trailing zeros may be cut) and a zone.
fn stamped(line: &[u8]) -> Option<(LogTime, &[u8])> {
    if line.get(10) != Some(&b'T') || line.get(19) != Some(&b'.') {
        return None;
    }
    let (rest, time) = iso_time(line).ok()?;
    let rest = rest.strip_prefix(b" ")?;
    time.offset_s.is_some().then_some((time, rest))
}

fn compose(line: &[u8]) -> Option<Piece<'_>> {
    let end = memchr::memchr(b'|', line)?;
    let (name, rest) = line.split_at(end);
    let service = name.trim_ascii_end();
    let is_name = !service.is_empty() && service.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !is_name || !name.ends_with(b" ") {
        return None;
    }
    let text = rest.get(1..)?;
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let (time, text) = stamped(text).map_or((None, text), |(time, text)| (Some(time), text));
    Some(Piece { service, time, ..plain(text) })
}

/// Who writes in a container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Software {
    /// Tag under which `inner` reads it.
    Tagged(&'static [u8]),
    Fpm,
    Unknown,
}

impl Software {
    fn tag(self) -> &'static [u8] {
        match self {
            Self::Tagged(tag) => tag,
            _ => b"container",
        }
    }

    /// Most of the messages that are some server's own say whose log it is.
    fn of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut counts = [0usize; 4];
        for text in texts {
            let found = [
                nginx_error::parse(text).is_ok(),
                apache_error::parse(text).is_ok(),
                haproxy::parse(text, None).is_some(),
                php_fpm::parse(text).is_some(),
            ];
            counts.iter_mut().zip(found).for_each(|(n, found)| *n += usize::from(found));
        }
        let all = [Self::Tagged(b"nginx"), Self::Tagged(b"apache2"), Self::Tagged(b"haproxy"), Self::Fpm];
        let best = counts.iter().zip(all).filter(|(n, _)| **n > 0).max_by_key(|(n, _)| **n);
        best.map_or(Self::Unknown, |(_, software)| software)
    }
}

/// Parser of one container's log.
#[derive(Debug)]
struct Container {
    wrapper: Wrapper,
    services: BTreeMap<Vec<u8>, Software>,
    inner: Inner,
}

impl Container {
    fn envelope<'a>(&self, piece: &Piece<'_>, software: Software) -> Envelope<'a> {
        Envelope { time: piece.time, tag: Some(software.tag()), ..Envelope::default() }
    }

    fn software(&self, service: &[u8]) -> Software {
        self.services.get(service).copied().unwrap_or(Software::Unknown)
    }

    fn read<'a>(&self, piece: &Piece<'_>, text: &'a [u8]) -> Line<'a> {
        let software = self.software(piece.service);
        if software == Software::Fpm {
            // What has no stamp of FPM was printed by a child.
            if let Ok(mut line) = php_fpm::parse_line(text) {
                settle_time(&mut line, piece.time);
                return line;
            }
        }
        self.inner.open(&self.envelope(piece, software), text)
    }

    /// The text of a record of several lines.
    fn joined(&self, record: &[u8]) -> Option<Vec<u8>> {
        let mut out: Vec<u8> = Vec::new();
        let mut whole = false;
        for line in record.split(|&b| b == b'\n') {
            let piece = peel(self.wrapper, line)?;
            if whole {
                out.push(b'\n');
            }
            out.extend_from_slice(&piece.text);
            whole = !piece.partial;
        }
        Some(out)
    }
}

impl RecordParser for Container {
    fn format(&self) -> &'static str {
        FORMAT.name
    }

    fn starts_record(&self, line: &[u8]) -> bool {
        peel(self.wrapper, line).is_some()
    }

    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        let Some(next) = peel(self.wrapper, line) else { return false };
        let last = record_so_far.rsplit(|&b| b == b'\n').next().unwrap_or_default();
        let Some(before) = peel(self.wrapper, last) else { return false };
        if before.service != next.service || before.stream != next.stream {
            return false;
        }
        if before.partial {
            return true;
        }
        let quoted = || {
            let opens = record_so_far.split(|&b| b == b'\n').next().and_then(|first| peel(self.wrapper, first));
            opens.is_some_and(|first| inner::continues(&first.text, &next.text))
                && self.joined(record_so_far).is_some_and(|text| inner::continues(&text, &next.text))
        };
        let block = || {
            let opens = record_so_far.split(|&b| b == b'\n').next().and_then(|first| peel(self.wrapper, first));
            opens.is_some_and(|first| block::continues(&first.text, || self.joined(record_so_far), &next.text))
        };
        let goes_on = php_error::is_trace(&next.text) || quoted() || block();
        goes_on && memchr::memchr_iter(b'\n', record_so_far).count() < block::MAX_LINES
    }

    fn quote<'a>(&self, record: &'a [u8]) -> Cow<'a, [u8]> {
        let escaped = self.wrapper == Wrapper::Docker;
        self.joined(record).filter(|_| escaped).map_or(Cow::Borrowed(record), Cow::Owned)
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError> {
        let first = record.split(|&b| b == b'\n').next().unwrap_or_default();
        let Some(mut piece) = peel(self.wrapper, first) else {
            return Err(LineError::new("not in the wrapper of a container's runtime that this file has", 0));
        };
        if first.len() < record.len() {
            let text = self.joined(record).ok_or(LineError::new("a line without the runtime's wrapper", first.len()))?;
            return Ok(own(self.read(&piece, &text)));
        }
        match std::mem::replace(&mut piece.text, Cow::Borrowed(b"")) {
            Cow::Borrowed(text) => Ok(self.read(&piece, text)),
            Cow::Owned(text) => Ok(own(self.read(&piece, &text))),
        }
    }
}

fn detect(sample: &Sample<'_>) -> Option<Detection> {
    let pieces = |wrapper: Wrapper| sample.lines.iter().filter_map(move |line| peel(wrapper, line));
    let (wrapper, good) = Wrapper::ALL.into_iter().map(|w| (w, pieces(w).count())).find(|(_, n)| *n > 0 && n * 2 >= sample.lines.len())?;
    let pieces: Vec<Piece<'_>> = pieces(wrapper).collect();
    let mut services: BTreeMap<Vec<u8>, Software> = BTreeMap::new();
    for piece in &pieces {
        if !services.contains_key(piece.service) {
            let texts = pieces.iter().filter(|p| p.service == piece.service).map(|p| &*p.text);
            services.insert(piece.service.to_vec(), Software::of(texts));
        }
    }
    let software = |piece: &Piece<'_>| services.get(piece.service).copied().unwrap_or(Software::Unknown);
    let tagged = |piece: &Piece<'_>| Envelope { tag: Some(software(piece).tag()), ..Envelope::default() };
    let inside = pieces.iter().filter(|p| software(p) != Software::Fpm).map(|p| (tagged(p), &*p.text));
    let inner = Inner::learn(inside);
    let known = services.values().any(|s| *s != Software::Unknown) || inner.knows_access();
    let loose = matches!(wrapper, Wrapper::Compose | Wrapper::Stamped);
    if loose && !known {
        return None;
    }
    let why = format!("{good} of {} sampled lines are {}", sample.lines.len(), wrapper.title());
    let score = score(if loose { 960 } else { 985 }, u32::try_from(good).ok()?, u32::try_from(sample.lines.len()).ok()?);
    Some(Detection { score, why, parser: Box::new(Container { wrapper, services, inner }) })
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
