//! What one file is, by its first bytes.

use super::kinds;
use super::walk::{Candidate, Opening};
use crate::edge::{self, EdgeFormat};
use crate::open::{self, Compression, Content};
use crate::options::Options;
use cfray_formats::{RecordParser, Sample};
use cfray_model::serverconf::Software;
use cfray_model::source::Skipped;
use cfray_model::{Line, LineKind, Stack, key};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Bytes of content that are looked at.
pub const SAMPLE: usize = Sample::MAX_BYTES;
/// Samples of fewer lines than this may be too small to tell a format's variants apart.
pub const SMALL: usize = 20;
/// Leading NUL bytes (copytruncate) that are passed over in search of the first line.
const MAX_NULS: u64 = 4 << 30;

/// A file's place in the plan: an edge log or an origin log.
#[derive(Debug)]
pub enum What {
    /// Cloudflare's side.
    Edge(EdgeFormat),
    /// The origin's side.
    Origin(Arc<dyn RecordParser>),
}

/// What the sample's records say about an origin log.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// Records in the sample.
    pub records: usize,
    /// Of which could be parsed.
    pub parsed: usize,
    /// Records by kind.
    pub kinds: BTreeMap<LineKind, usize>,
    /// Access and other records by stack.
    pub stacks: BTreeMap<Stack, usize>,
    /// Syslog or journal hosts.
    pub hosts: BTreeMap<String, usize>,
    /// Values that were found in all records together: how much the parser makes of the lines.
    pub fields: usize,
}

/// A file that will be read.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub candidate: Candidate,
    /// How it is compressed.
    pub compression: Compression,
    /// Its content, when it is a stream.
    pub stream: Option<Content>,
    /// What it is.
    pub what: What,
    /// Name of the format.
    pub format: String,
    /// Why this format.
    pub why: String,
    /// Lines in the sample.
    pub sample_lines: usize,
    /// The sample, if it is small.
    pub small: Option<Vec<u8>>,
    /// Length and hash of the sample: equal for copies.
    pub head: (usize, u64),
    /// What its records say.
    pub probe: Probe,
    /// Chosen by the user, not by content.
    pub forced: bool,
    /// Filled by `servers`.
    pub scope: String,
    /// Filled by `servers`.
    pub server: String,
    /// Filled by `servers`: the user named the server.
    pub fixed_server: bool,
    /// Filled by `servers`: which software wrote it.
    pub stack: Option<Stack>,
}

impl Found {
    /// Is it an edge log?
    pub fn is_edge(&self) -> bool {
        matches!(self.what, What::Edge(_))
    }
}

/// Text in no known format: a neighbour in its rotated set may know better.
#[derive(Debug)]
pub struct Unknown {
    /// Where it is.
    pub candidate: Candidate,
    /// How it is compressed.
    pub compression: Compression,
    /// Its content, when it is a stream.
    pub stream: Option<Content>,
    /// The beginning of its content.
    pub sample: Vec<u8>,
}

/// A file of a server's configuration.
#[derive(Debug)]
pub struct Conf {
    /// Where it is.
    pub candidate: Candidate,
    /// How it is compressed.
    pub compression: Compression,
    /// Its content, when it is a stream.
    pub stream: Option<Content>,
    /// Whose it is.
    pub software: Software,
}

/// Outcome for one file.
#[derive(Debug)]
pub enum Sniffed {
    /// A server's configuration.
    Conf(Box<Conf>),
    /// A log.
    Found(Box<Found>),
    /// Perhaps a log.
    Unknown(Box<Unknown>, Skipped),
    /// Something else.
    Other(Skipped),
}

/// `--log-format`, compiled.
#[derive(Debug, Default)]
pub struct Overrides {
    globs: Vec<(globset::GlobMatcher, String, Arc<dyn RecordParser>)>,
    any: Vec<(String, Arc<dyn RecordParser>)>,
}

impl Overrides {
    /// Compiles the templates; what does not compile is named in `skipped` as a failure.
    pub fn compile(options: &Options, skipped: &mut Vec<Skipped>) -> Self {
        let mut out = Self::default();
        for (glob, template) in &options.log_formats {
            let mut complain = |what: String| {
                skipped.push(Skipped {
                    name: format!("--log-format {template}"),
                    what,
                    hint: "paste the log_format or LogFormat string as it stands in the server's configuration".to_owned(),
                    failed: true,
                });
            };
            let parser: Arc<dyn RecordParser> = match cfray_formats::from_template(template) {
                Ok(parser) => Arc::from(parser),
                Err(e) => {
                    complain(e.to_string());
                    continue;
                }
            };
            match glob.as_deref().map(compile_glob) {
                None => out.any.push((template.clone(), parser)),
                Some(Ok(glob)) => out.globs.push((glob, template.clone(), parser)),
                Some(Err(e)) => complain(e.to_string()),
            }
        }
        out
    }
}

/// Does the glob mean this file, or a directory that holds it?
pub fn glob_matches(glob: &globset::GlobMatcher, path: &std::path::Path) -> bool {
    path.ancestors().any(|p| glob.is_match(p))
}

/// A glob for paths and their ends: `web1`, `web1/*.log`, `access.*`, `/var/log/**`.
pub fn compile_glob(glob: &str) -> Result<globset::GlobMatcher, globset::Error> {
    let glob = glob.strip_prefix("./").unwrap_or(glob);
    let anchored = if glob.starts_with('/') || glob.starts_with("**") { glob.to_owned() } else { format!("**/{glob}") };
    Ok(globset::GlobBuilder::new(&anchored).literal_separator(true).build()?.compile_matcher())
}

/// Decides what a file is.
pub fn sniff(candidate: Candidate, overrides: &Overrides, options: &Options) -> Sniffed {
    let head = match read_head(&candidate, options) {
        Ok(head) => head,
        Err(text) => {
            return Sniffed::Other(Skipped {
                name: candidate.name,
                what: text,
                hint: "you may not read it, or it has gone meanwhile".to_owned(),
                failed: true,
            });
        }
    };
    let other = |candidate: &Candidate, kind: kinds::Kind| Skipped {
        name: candidate.name.clone(),
        what: kind.what,
        hint: kind.hint,
        failed: kind.failed,
    };
    let text = head.text.as_slice();
    if text.is_empty() {
        let kind = match (&head.problem, head.compression) {
            (Some(problem), _) => kinds::Kind { what: problem.clone(), hint: mend(problem).to_owned(), failed: true },
            (None, Compression::None) if head.nuls > 0 => kinds::Kind::new("file of NUL bytes only", ""),
            (None, Compression::None) => kinds::Kind::new("empty file", ""),
            (None, c) => kinds::Kind::new(&format!("empty file ({})", c.name()), ""),
        };
        return Sniffed::Other(other(&candidate, kind));
    }
    let len = match candidate.opening {
        Opening::File { len, .. } if head.compression == Compression::None => Some(len),
        _ => None,
    };
    let base = candidate.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(kind) = kinds::binary(text, &base, len) {
        return Sniffed::Other(other(&candidate, kind));
    }
    let sample = Sample::from_bytes(text);
    for (glob, template, parser) in &overrides.globs {
        if glob_matches(glob, &candidate.path) {
            let why = format!("given by --log-format: {template}");
            return origin(candidate, &head, Arc::clone(parser), why, &sample, true).done(head);
        }
    }
    if let Some(kind) = kinds::not_ours(text, &base) {
        return Sniffed::Other(other(&candidate, kind));
    }
    if let Some(software) = cfray_formats::serverconf::recognise(text) {
        let Head { compression, stream, .. } = head;
        return Sniffed::Conf(Box::new(Conf { candidate, compression, stream, software }));
    }
    if let Some(format) = edge::detect(text, options) {
        let (name, why) = (format.name().to_owned(), format.why.clone());
        return Draft {
            candidate,
            what: What::Edge(format),
            format: name,
            why,
            lines: sample.lines.len(),
            probe: Probe::default(),
            forced: false,
        }
        .done(head);
    }
    for (template, parser) in &overrides.any {
        let probe = probe(&**parser, &sample);
        if probe.parsed * 2 >= probe.records.max(1) {
            let why = format!("{} of {} lines fit --log-format {template}", probe.parsed, probe.records);
            return origin(candidate, &head, Arc::clone(parser), why, &sample, true).done(head);
        }
    }
    if let Some(found) = cfray_formats::detect(&sample) {
        return origin(candidate, &head, Arc::from(found.parser), found.why, &sample, false).done(head);
    }
    for later in later_samples(&candidate, head.compression, len) {
        let sample = Sample::from_bytes(&later);
        if let Some(found) = cfray_formats::detect(&sample) {
            let why = format!("{} (seen further down in the file)", found.why);
            return origin(candidate, &head, Arc::from(found.parser), why, &sample, false).done(head);
        }
    }
    let kind = match &head.problem {
        Some(problem) => kinds::Kind { what: problem.clone(), hint: mend(problem).to_owned(), failed: true },
        None => kinds::text(text, &base),
    };
    let skip = other(&candidate, kind);
    let unknown = Unknown { candidate, compression: head.compression, stream: head.stream, sample: shorten(head.text) };
    Sniffed::Unknown(Box::new(unknown), skip)
}

/// Parses a sample's records and counts what they say.
pub fn probe(parser: &dyn RecordParser, sample: &Sample<'_>) -> Probe {
    let mut out = Probe::default();
    for record in sample.records(parser) {
        out.records += 1;
        let Ok(line) = parser.parse(&record) else { continue };
        out.parsed += 1;
        out.fields += fields(&line);
        *out.kinds.entry(line.kind).or_default() += 1;
        *out.stacks.entry(line.stack).or_default() += 1;
        if let Some(host) = &line.syslog_host {
            *out.hosts.entry(String::from_utf8_lossy(host).into_owned()).or_default() += 1;
        }
    }
    out
}

/// How many values a record has that help to tie it or to explain it.
fn fields(line: &Line<'_>) -> usize {
    let has = [
        line.ray.is_some(),
        line.cid.is_some(),
        line.log_id.is_some(),
        line.client.is_some(),
        line.visitor.is_some(),
        line.host.is_some(),
        line.uri.is_some(),
        line.referer.is_some(),
        line.agent.is_some(),
        line.status.is_some(),
        line.bytes_sent.is_some(),
        line.body_bytes.is_some() || line.size.is_some(),
        line.duration_us.is_some(),
        line.upstream_status.is_some(),
        line.upstream.is_some(),
        line.time.is_some(),
    ];
    has.into_iter().filter(|h| *h).count()
}

/// The beginning of a file's content, read again.
pub fn head(candidate: &Candidate, options: &Options) -> Option<Vec<u8>> {
    read_head(candidate, options).ok().map(|head| head.text)
}

/// What to do about content that ended early. A cap says itself which option raises it.
fn mend(problem: &str) -> &'static str {
    if problem.contains("--max-") { "" } else { "fetch the file again" }
}

/// A found file without its head.
struct Draft {
    candidate: Candidate,
    what: What,
    format: String,
    why: String,
    lines: usize,
    probe: Probe,
    forced: bool,
}

impl Draft {
    fn done(self, head: Head) -> Sniffed {
        Sniffed::Found(Box::new(Found {
            candidate: self.candidate,
            compression: head.compression,
            stream: head.stream,
            what: self.what,
            format: self.format,
            why: self.why,
            sample_lines: self.lines,
            head: (head.text.len(), key::bytes_key(&head.text)),
            small: (self.lines < SMALL && head.text.len() < SAMPLE).then_some(head.text),
            probe: self.probe,
            forced: self.forced,
            scope: String::new(),
            server: String::new(),
            fixed_server: false,
            stack: None,
        }))
    }
}

fn origin(candidate: Candidate, _head: &Head, parser: Arc<dyn RecordParser>, why: String, sample: &Sample<'_>, forced: bool) -> Draft {
    let probe = probe(&*parser, sample);
    let format = parser.format().to_owned();
    Draft { candidate, what: What::Origin(parser), format, why, lines: sample.lines.len(), probe, forced }
}

/// The beginning of a file's content.
struct Head {
    compression: Compression,
    /// Up to [`SAMPLE`] bytes, from the first byte that is not NUL, without byte order mark.
    text: Vec<u8>,
    nuls: u64,
    /// What ended the content before the sample was full.
    problem: Option<String>,
    /// The whole content, when it can be read only once.
    stream: Option<Content>,
}

fn read_head(candidate: &Candidate, options: &Options) -> Result<Head, String> {
    match candidate.opening {
        Opening::File { len, id } => {
            let mut magic = Vec::new();
            let mut raw = open::open_file(&candidate.path, id, len, Compression::None, options)?;
            if let Err(e) = raw.reader.by_ref().take(16).read_to_end(&mut magic) {
                return Err(open::reason(&e));
            }
            let compression = Compression::of(&magic);
            let content = if compression == Compression::None {
                Content { reader: Box::new(Cursor::new(magic).chain(raw.reader)), disk: raw.disk }
            } else {
                open::open_file(&candidate.path, id, len, compression, options)?
            };
            let (seen, text, nuls, problem) = sample(content).1;
            drop(seen);
            Ok(Head { compression, text, nuls, problem, stream: None })
        }
        Opening::Fifo => {
            let file = File::open(&candidate.path).map_err(|e| open::reason(&e))?;
            read_stream(Box::new(file), options)
        }
        Opening::Stdin => read_stream(open::stdin(), options),
    }
}

fn read_stream(mut raw: Box<dyn Read + Send>, options: &Options) -> Result<Head, String> {
    let mut magic = Vec::new();
    raw.by_ref().take(16).read_to_end(&mut magic).map_err(|e| open::reason(&e))?;
    let compression = Compression::of(&magic);
    let (content, (seen, text, nuls, problem)) = sample(open::open_stream(magic, raw, compression, options));
    let disk = content.disk;
    let tail: Box<dyn Read + Send> = match &problem {
        // The error was met while sampling; the reader must meet it again behind the sample.
        Some(problem) => Box::new(Broken(Some(problem.clone()))),
        None => content.reader,
    };
    Ok(Head { compression, text, nuls, problem, stream: Some(Content { reader: Box::new(Cursor::new(seen).chain(tail)), disk }) })
}

/// Fails once with a text.
struct Broken(Option<String>);

impl Read for Broken {
    fn read(&mut self, _buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.take().map_or(Ok(0), |text| Err(std::io::Error::other(text)))
    }
}

type Sampled = (Vec<u8>, Vec<u8>, u64, Option<String>);

/// Reads a sample: what was read, the text in it, leading NUL bytes, and what ended it.
fn sample(mut content: Content) -> (Content, Sampled) {
    let (mut seen, mut problem, mut nuls) = (Vec::new(), None, 0u64);
    loop {
        let want = (SAMPLE + 1).saturating_sub(seen.len()) as u64;
        let before = seen.len();
        match content.reader.by_ref().take(want).read_to_end(&mut seen) {
            Ok(_) => {}
            Err(e) => problem = Some(open::reason(&e)),
        }
        let only_nuls = seen.iter().all(|&b| b == 0);
        if only_nuls && !seen.is_empty() && seen.len() > before && problem.is_none() && nuls < MAX_NULS {
            // Content of NULs is worth nothing: not kept even for streams.
            nuls += seen.len() as u64;
            seen.clear();
            continue;
        }
        break;
    }
    let start = seen.iter().position(|&b| b != 0).unwrap_or(seen.len());
    nuls += start as u64;
    let text = seen.get(start..).unwrap_or_default();
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).to_vec();
    (content, (seen, text, nuls, problem))
}

/// Samples from further down in a plain file, for one that begins with something odd: a stack trace
/// that rotation cut off, or a banner.
fn later_samples(candidate: &Candidate, compression: Compression, len: Option<u64>) -> Vec<Vec<u8>> {
    let (Some(len), Compression::None) = (len, compression) else { return Vec::new() };
    let size = SAMPLE as u64;
    if len <= size {
        return Vec::new();
    }
    let read_at = |at: u64| -> Option<Vec<u8>> {
        let mut file = File::open(&candidate.path).ok()?;
        file.seek(SeekFrom::Start(at)).ok()?;
        let mut bytes = Vec::new();
        file.take(size).read_to_end(&mut bytes).ok()?;
        // The first line is a fragment.
        let first = memchr::memchr(b'\n', &bytes)? + 1;
        Some(bytes.split_off(first))
    };
    [size, len / 2, len.saturating_sub(size)].into_iter().filter_map(read_at).collect()
}

/// Keeps at most 4 KB of whole lines.
fn shorten(mut text: Vec<u8>) -> Vec<u8> {
    if text.len() > 4096 {
        text.truncate(4096);
        if let Some(end) = memchr::memrchr(b'\n', &text) {
            text.truncate(end + 1);
        }
        text.shrink_to_fit();
    }
    text
}
