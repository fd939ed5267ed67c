//! The words every format shares: what a format is, what a parser does, what detection says.

use crate::fields::time::ClfMemo;
use cfray_model::{Line, LogTime, RayId, Stack};
use std::borrow::Cow;
use std::fmt;

/// A configured parser for one file (or for the payload of one wrapper).
pub trait RecordParser: Send + Sync + fmt::Debug {
    /// Registry name, such as `nginx-access`.
    fn format(&self) -> &'static str;

    /// Does this physical line (without its newline) look like the first line of a record?
    ///
    /// Single-line formats: always true. This looks at the line alone; whether a record really
    /// ends before it is for [`RecordParser::continues`] to say.
    fn starts_record(&self, line: &[u8]) -> bool {
        let _ = line;
        true
    }

    /// Given the record so far (its physical lines joined by `\n`, never empty), does `line` belong
    /// to it? This is the primitive for cutting a file into records.
    ///
    /// The default suits formats in which nothing that a client wrote can open a line.
    fn continues(&self, record_so_far: &[u8], line: &[u8]) -> bool {
        let _ = record_so_far;
        !self.starts_record(line)
    }

    /// [`RecordParser::continues`] with more of the file at hand: `rest` begins with `line` and reaches as far as was read, `ended` says that
    /// nothing comes behind it. For formats whose records tell only behind their first line what they are. One that cannot tell yet says true,
    /// and is asked again.
    fn continues_before(&self, record_so_far: &[u8], line: &[u8], rest: &[u8], ended: bool) -> bool {
        let _ = (rest, ended);
        self.continues(record_so_far, line)
    }

    /// A cheap look at an access line. `Some` says, field by field, what [`RecordParser::parse`] says,
    /// and that the line is an access line without a syslog host; `None` says nothing.
    fn glance<'a>(&self, record: &'a [u8], memo: &mut ClfMemo) -> Option<Glance<'a>> {
        let _ = (record, memo);
        None
    }

    /// What to quote of a record. The whole of it, unless a wrapper of fields or escapes would fill the quotation: then
    /// the message as its sender wrote it.
    fn quote<'a>(&self, record: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(record)
    }

    /// Parses one whole record: continuation lines joined by `\n`, no final newline, CR stripped.
    fn parse<'a>(&self, record: &'a [u8]) -> Result<Line<'a>, LineError>;
}

/// The fields of an access line that decide whether it has to be parsed, and what its source covers.
/// Each is the field of [`Line`] with that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Glance<'a> {
    pub stack: Stack,
    pub time: LogTime,
    pub client: Option<&'a [u8]>,
    /// `client` where it is IPv4 in its usual form.
    pub client_v4: Option<std::net::Ipv4Addr>,
    pub host: Option<&'a [u8]>,
    /// The request line: [`crate::fields::request::split`] gives `method` and `uri`.
    pub request: &'a [u8],
    pub status: Option<u16>,
    pub size: Option<u64>,
    pub body_bytes: Option<u64>,
    pub bytes_sent: Option<u64>,
    pub ray: Option<RayId>,
    pub cid: Option<u64>,
}

/// One entry of the registry.
pub struct FormatSpec {
    /// Fixed name, such as `nginx-access`.
    pub name: &'static str,
    /// A title for people.
    pub title: &'static str,
    /// Where the format is defined: an URL or a source file of the software that writes it.
    pub docs: &'static str,
    /// Which software writes it.
    pub stack: Stack,
    /// Looks at the first non-empty lines of a file; the file's name is not given: content decides.
    pub detect: fn(&Sample<'_>) -> Option<Detection>,
    /// Records for tests, fuzz corpora and `cfray formats`: at least three. Records of several
    /// lines hold `\n`.
    pub samples: &'static [&'static str],
}

impl fmt::Debug for FormatSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormatSpec").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The first lines of a file: up to 200 that are not empty, up to 64 KB.
#[derive(Clone, Debug, Default)]
pub struct Sample<'a> {
    /// Physical lines without newline and CR.
    pub lines: Vec<&'a [u8]>,
}

impl<'a> Sample<'a> {
    /// Most lines that are looked at.
    pub const MAX_LINES: usize = 200;
    /// Most bytes that are looked at.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Cuts a head of a file into its lines; empty ones are left out. A last line without newline
    /// counts, unless it was cut by the byte limit and others stand before it.
    pub fn from_bytes(head: &'a [u8]) -> Self {
        let cut = head.len() > Self::MAX_BYTES;
        let head = head.get(..Self::MAX_BYTES).unwrap_or(head);
        let mut lines: Vec<&'a [u8]> = Vec::new();
        let mut rest = head;
        while !rest.is_empty() && lines.len() < Self::MAX_LINES {
            let (line, tail, whole) = match memchr::memchr(b'\n', rest) {
                Some(end) => (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default(), true),
                None => (rest, &b""[..], !cut),
            };
            rest = tail;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() && (whole || lines.is_empty()) {
                lines.push(line);
            }
        }
        Self { lines }
    }

    /// Cuts the sample into records with a parser's own rule.
    pub fn records(&self, parser: &dyn RecordParser) -> Vec<Vec<u8>> {
        let mut records: Vec<Vec<u8>> = Vec::new();
        for line in &self.lines {
            match records.last_mut() {
                Some(last) if parser.continues(last, line) => {
                    last.push(b'\n');
                    last.extend_from_slice(line);
                }
                _ => records.push(line.to_vec()),
            }
        }
        records
    }
}

/// What a format says about a sample.
#[derive(Debug)]
pub struct Detection {
    /// 0 to 1000: share of the lines that were recognised, weighted by how special the format is.
    pub score: u32,
    /// Why, one sentence.
    pub why: String,
    /// The parser, configured for this file.
    pub parser: Box<dyn RecordParser>,
}

/// Why a record could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// What was expected.
    pub reason: Cow<'static, str>,
    /// Byte in the record at which reading stopped.
    pub at: usize,
}

impl LineError {
    /// An error with a fixed text.
    pub const fn new(reason: &'static str, at: usize) -> Self {
        Self { reason: Cow::Borrowed(reason), at }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.reason, self.at)
    }
}

impl std::error::Error for LineError {}
