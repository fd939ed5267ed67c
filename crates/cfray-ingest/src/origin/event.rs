//! From a parsed line to the event that is kept of it.

use super::answers::text_key;
use super::wanted::Wanted;
use crate::discover::OriginPlan;
use cfray_formats::Glance;
use cfray_formats::fields::request::{self, Request};
use cfray_model::text::lossy;
use cfray_model::{Details, Line, LineKind, LineRef, OriginEvent, Pool, RecordText, Sig, SigHit, Stack, Text, TextShelf, key};
use std::borrow::Cow;
use std::sync::Arc;

/// Longest text that is kept of a record, in bytes.
const MAX_TEXT: usize = 2048;
/// Longest path that is kept, in bytes.
const MAX_PATH: usize = 1024;

/// Key of the request that a line names; 0: none.
pub fn request_of(line: &Line<'_>) -> u64 {
    match (&line.method, &line.uri) {
        (Some(method), Some(uri)) if !uri.is_empty() => key::request_key(method, uri),
        _ => 0,
    }
}

/// Does this access line say by itself that something odd went out: nothing, no header, a close?
pub fn odd_access(line: &Line<'_>) -> bool {
    let preface = line.method.as_deref().is_some_and(|m| m.starts_with(PREFACE));
    preface || odd_answer(line.status, line.bytes_sent, line.body_bytes, line.size)
}

/// The same of a line that was only glanced at.
fn odd_glance(glance: &Glance<'_>) -> bool {
    // A method is what its request begins with; one that has none is not odd, and may be looked at.
    glance.request.starts_with(PREFACE) || odd_answer(glance.status, glance.bytes_sent, glance.body_bytes, glance.size)
}

const PREFACE: &[u8] = b"PRI";

fn odd_answer(status: Option<u16>, bytes_sent: Option<u64>, body_bytes: Option<u64>, size: Option<u64>) -> bool {
    let no_bytes = bytes_sent == Some(0);
    let empty = no_bytes || body_bytes == Some(0) || size == Some(0);
    match status {
        Some(444 | 0 | 9 | 499 | 520) => true,
        Some(408 | 500) if empty => true,
        _ => no_bytes,
    }
}

/// Can the line be passed over, once it is counted?
pub fn idle(glance: &Glance<'_>, wanted: &Wanted<'_>) -> bool {
    if odd_glance(glance) {
        // Only what another slice will look at is passed over all the same.
        return glance.ray.is_some_and(|ray| !wanted.ray(ray.0) && wanted.others(Some(ray.0), || 0));
    }
    match glance.ray {
        Some(ray) => !wanted.ray(ray.0),
        None if !wanted.ask_requests => true,
        None => match request::split(glance.request) {
            Request { method: Some(method), uri: Some(uri), .. } => !wanted.request(key::request_key(method, uri)),
            _ => true,
        },
    }
}

/// Builds the event of a line that is kept. `own`: bits of the configuration's own patterns that it matches; `shown`: evidence may well
/// quote it.
pub fn event(
    line: &Line<'_>,
    (record, at): (&[u8], LineRef),
    sig: Option<SigHit>,
    (request, own): (u64, u64),
    plan: &OriginPlan,
    texts: &mut Texts,
    shown: bool,
) -> Box<OriginEvent> {
    let raw_key = |value| text_key(value, plan.json);
    let addr = |value: &Option<Cow<'_, [u8]>>| value.as_deref().map_or(0, key::addr_key);
    let path = match line.uri.as_deref() {
        Some(uri) if request != 0 || line.stack == Stack::App => {
            let uri = key::canonical_uri(uri);
            let path = uri.split(|&b| b == b'?').next().unwrap_or_default();
            texts.paths.get(cut(&lossy(path), MAX_PATH))
        }
        _ => Text::new(),
    };
    let file = match sig.as_ref().map(|s| s.sig) {
        Some(Sig::PhpFatal | Sig::PhpMemory | Sig::PhpTime | Sig::PhpTrace) => fault_file(line),
        Some(Sig::AppException) => python_file(line),
        _ => Text::new(),
    };
    let (stack, time_is_start) = placed(line, plan);
    // An audit record is a page long; what the module decided stands at its end.
    let text = if line.kind == LineKind::Audit && !line.message.is_empty() {
        texts.of(&line.message, shown)
    } else {
        texts.of(&plan.parser.quote(record), shown)
    };
    let more = Details {
        own,
        log_id: line.log_id.as_deref().map_or(0, key::bytes_key),
        visitor: addr(&line.visitor),
        bytes_sent: line.bytes_sent,
        body_bytes: line.body_bytes,
        duration_us: line.duration_us,
        verified: line.verified,
        upstream_status: line.upstream_status,
        file,
    };
    Box::new(OriginEvent {
        time: line.time.into(),
        ray: line.ray.map_or(0, |r| r.0),
        request,
        host: line.host.as_deref().map_or(0, key::host_key),
        client: addr(&line.client),
        agent: raw_key(&line.agent),
        pid: line.pid.into(),
        tid: line.tid.into(),
        cid: line.cid.into(),
        size: line.size.into(),
        sig: sig.map(|hit| texts.sig(hit)),
        path,
        text,
        status: line.status,
        level: line.level,
        time_is_start,
        unsure_ray: line.unsure_ray,
        raw_text: line.raw_text,
        more: more.boxed(),
        ..OriginEvent::new(line.kind, stack, at)
    })
}

/// What lines of a source share, and where their texts lie.
#[derive(Debug, Default)]
pub struct Texts {
    /// Paths of the last events.
    paths: Pool,
    /// Texts that hardly anybody will ask for.
    shelf: TextShelf,
    /// What the last different lines with a signature said.
    sigs: [Option<Arc<SigHit>>; 8],
}

impl Texts {
    /// A record's text as evidence: decoded, cut. `shown`: evidence may well quote it.
    fn of(&mut self, record: &[u8], shown: bool) -> RecordText {
        let text = lossy(record.get(..MAX_TEXT + 4).unwrap_or(record));
        let text = cut(&text, MAX_TEXT);
        if shown { text.into() } else { self.shelf.put(text) }
    }

    /// The signature, shared with the last line that had the same.
    fn sig(&mut self, hit: SigHit) -> Arc<SigHit> {
        let mut last = self.sigs.iter();
        if let Some(same) = last.find_map(|known| known.as_ref().filter(|known| ***known == hit)) {
            return Arc::clone(same);
        }
        let hit = Arc::new(hit);
        self.sigs.rotate_right(1);
        self.sigs[0] = Some(Arc::clone(&hit));
        hit
    }
}

/// Stack of a line, and whether its time is the request's start. An access line in a format that
/// several servers share takes both from the source: Apache logs when a request began, nginx when it
/// ended.
fn placed(line: &Line<'_>, plan: &OriginPlan) -> (Stack, bool) {
    let stack = stack_of(line.kind, line.stack, plan);
    match stack {
        _ if stack == line.stack => (stack, line.time_is_start),
        _ => (stack, stack == Stack::Apache),
    }
}

/// The stack of [`placed`].
pub fn stack_of(kind: LineKind, stack: Stack, plan: &OriginPlan) -> Stack {
    match plan.stack {
        Some(other @ (Stack::Apache | Stack::Nginx | Stack::LiteSpeed | Stack::Lighttpd)) if kind == LineKind::Access => other,
        _ => stack,
    }
}

/// An application's warning: it says nothing about any request but its own.
pub fn mere_noise(sig: &SigHit) -> bool {
    sig.sig == Sig::PhpOther
}

/// Is a line hardly ever evidence? What the server answered with an error of its own seldom explains that it did not answer.
pub fn seldom_shown(sig: &SigHit) -> bool {
    mere_noise(sig) || matches!(sig.sig, Sig::AccessForbidden | Sig::ConnectFailed)
}

/// The deepest file that a fault of PHP, or of an application under uvicorn, names.
fn fault_file(line: &Line<'_>) -> Text {
    let message = without_headers(&line.message);
    let file = cfray_formats::signatures::php_fault_file(&message);
    let file = file.or_else(|| cfray_formats::signatures::python_fault_file(&line.message));
    file.map(|f| cut(&f, MAX_PATH).into()).unwrap_or_default()
}

/// The deepest file of the application that a traceback of Python names.
fn python_file(line: &Line<'_>) -> Text {
    cfray_formats::signatures::python_fault_file(&line.message).map(|f| cut(&f, MAX_PATH).into()).unwrap_or_default()
}

/// A syslog daemon that splits a message at its line breaks repeats its header before every piece;
/// what a PHP trace's piece begins with tells where the header ends.
fn without_headers(message: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    const PIECES: [&[u8]; 5] = [b": Stack trace:", b": #", b":   thrown in ", b": PHP message: ", b": Next "];
    const LONGEST_HEADER: usize = 120;
    if !message.contains(&b'\n') {
        return message.into();
    }
    let mut out = Vec::with_capacity(message.len());
    for (i, piece) in message.split(|&b| b == b'\n').enumerate() {
        if i > 0 {
            out.push(b'\n');
        }
        let head = piece.get(..LONGEST_HEADER.min(piece.len())).unwrap_or(piece);
        let at = (i > 0).then(|| PIECES.iter().filter_map(|p| memchr::memmem::find(head, p)).min()).flatten();
        out.extend_from_slice(at.and_then(|at| piece.get(at + 2..)).unwrap_or(piece));
    }
    out.into()
}

/// The longest beginning of at most `max` bytes that ends between characters.
fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("abc", 9), "abc");
    }
}
