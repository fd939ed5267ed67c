//! Lines of comma or tab separated values (RFC 4180), as Logpush writes them: strings quoted, numbers bare.

use super::MAX_ROW;
use super::collect::Collector;
use super::fields::Names;
use super::subrequests;
use super::value::{Kind, Row, Slots};
use cfray_model::{EdgeField, LineRef, SourceId};

/// What is known of the columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CsvColumns {
    /// `,` or tab.
    pub delimiter: u8,
    /// Names in order.
    pub names: Vec<String>,
    /// The names stand in the first line.
    pub header: bool,
}

/// Where whole lines may be cut so that no quoted value is: the bytes up to the last line break
/// that stands outside quotes.
pub(crate) fn record_cut(lines: &[u8], _last: bool) -> usize {
    let (mut cut, mut quoted) = (0, false);
    if !odd_quotes(lines) {
        return lines.len();
    }
    for at in memchr::memchr2_iter(b'"', b'\n', lines) {
        if lines.get(at) == Some(&b'"') {
            quoted = !quoted;
        } else if !quoted {
            cut = at + 1;
        }
    }
    cut
}

/// Reads records; they may span lines, so blocks of one source must come in order.
#[derive(Debug)]
pub(crate) struct CsvReader {
    columns: CsvColumns,
    fields: Vec<Option<EdgeField>>,
    mask: u64,
    /// A record that goes on in the next block, and where it began.
    open: Vec<u8>,
    open_at: Option<LineRef>,
    /// Quotes in the open record are odd in number.
    odd: bool,
    /// Bytes that were read again for the open record.
    again: usize,
    slots: Slots,
}

/// Bytes that are read again for one record before it is given up.
const AGAIN: usize = 4 * MAX_ROW;

/// Is the number of quotes odd?
fn odd_quotes(text: &[u8]) -> bool {
    memchr::memchr_iter(b'"', text).count() % 2 == 1
}

/// How a record ended.
enum End {
    /// After this many bytes, its line break included.
    At(usize),
    /// In another block.
    Open,
}

impl CsvReader {
    /// A reader for these columns.
    pub fn new(columns: &CsvColumns, names: &Names) -> Self {
        let fields = names.columns(columns.names.iter().map(|n| n.as_bytes()));
        let mask = fields.iter().flatten().fold(0, |m, f| m | 1u64 << (*f as usize));
        Self { columns: columns.clone(), fields, mask, open: Vec::new(), open_at: None, odd: false, again: 0, slots: Slots::default() }
    }

    /// Is the reader for these columns?
    pub fn reads(&self, columns: &CsvColumns) -> bool {
        self.columns == *columns
    }

    /// Reads a block of whole lines; returns their number.
    pub fn feed(&mut self, source: SourceId, offset: u64, chunk: &[u8], names: &Names, out: &mut Collector) -> u64 {
        let mut line = 0u64;
        let mut at = 0usize;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            let here = LineRef { source, line: line + 1, offset: offset + at as u64 };
            let next = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
            if self.open_at.is_some() {
                // A record from before: take one line more and look again.
                let more = rest.get(..next).unwrap_or_default();
                line += 1;
                at += next;
                self.resume(more, names, out);
                continue;
            }
            match self.record(rest, here, names, out) {
                End::At(end) => {
                    line += memchr::memchr_iter(b'\n', rest.get(..end).unwrap_or_default()).count().max(1) as u64;
                    at += end;
                }
                End::Open => {
                    self.open_at = Some(here);
                    self.open = rest.to_vec();
                    self.odd = odd_quotes(rest);
                    self.again = 0;
                    line += memchr::memchr_iter(b'\n', rest).count() as u64 + u64::from(!rest.ends_with(b"\n"));
                    at = chunk.len();
                }
            }
        }
        line
    }

    /// The source ends: a record that is still open was cut off.
    pub fn end(&mut self, out: &mut Collector) {
        if let Some(at) = self.open_at.take() {
            out.part.reject(at, || "a quoted value does not end".to_owned());
        }
        self.open.clear();
    }

    /// Goes on with an open record.
    fn resume(&mut self, more: &[u8], names: &Names, out: &mut Collector) {
        let Some(begun) = self.open_at else { return };
        if self.open.len() + more.len() > MAX_ROW || self.again > AGAIN {
            // A stray quote has swallowed everything since: give that record up.
            out.part.reject(begun, || "a quoted value does not end".to_owned());
            self.open_at = None;
            self.open.clear();
            return;
        }
        let mut open = std::mem::take(&mut self.open);
        open.extend_from_slice(more);
        // An even number of quotes closes the record; only then is it worth reading again.
        if odd_quotes(more) {
            self.odd = !self.odd;
            if !self.odd {
                self.again += open.len();
                if let End::At(_) = self.record(&open, begun, names, out) {
                    self.open_at = None;
                    return;
                }
            }
        }
        self.open = open;
    }

    /// Reads one record at the beginning of `text`.
    fn record(&mut self, text: &[u8], place: LineRef, names: &Names, out: &mut Collector) -> End {
        let mut at = if place.offset == 0 && text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        self.slots.clear();
        self.slots.mask = self.mask;
        self.slots.width = u32::try_from(self.columns.names.len()).unwrap_or(u32::MAX);
        let mut count = 0usize;
        let mut fault = None;
        loop {
            let (start, len, kind, end) = match cell(text, at, self.columns.delimiter) {
                Some(cell) => cell,
                None => return End::Open,
            };
            if let Some(Some(field)) = self.fields.get(count) {
                self.slots.set(*field as usize, start, len, kind);
            }
            count += 1;
            match text.get(end) {
                Some(&b) if b == self.columns.delimiter => at = end + 1,
                Some(b'\n') => {
                    at = end + 1;
                    break;
                }
                Some(b'\r') if matches!(text.get(end + 1), Some(b'\n') | None) => {
                    at = (end + 2).min(text.len());
                    break;
                }
                None => {
                    at = end;
                    break;
                }
                Some(_) => {
                    fault = Some(end);
                    at = memchr::memchr(b'\n', text.get(end..).unwrap_or_default()).map_or(text.len(), |n| end + n + 1);
                    break;
                }
            }
        }
        let values = Row { bytes: text, slots: &self.slots };
        if let Some(byte) = fault {
            out.part.reject(place, || format!("byte {}: text after a closing quote", byte + 1));
        } else if count == 1 && text.get(..at).is_some_and(|t| t.trim_ascii().is_empty()) {
            // A blank line.
        } else if at > MAX_ROW {
            out.part.reject(place, || format!("longer than {} MB", MAX_ROW >> 20));
        } else if count != self.columns.names.len() {
            let expected = self.columns.names.len();
            out.part.reject(place, || format!("{count} values, but there are {expected} columns"));
        } else if !(self.columns.header && self.is_header(&values)) {
            subrequests::take(&values, place, None, names, out);
        }
        End::At(at)
    }

    /// Is the record the header line (files put together have several)?
    fn is_header(&self, values: &Row<'_>) -> bool {
        let mut named = self.fields.iter().zip(&self.columns.names).filter_map(|(field, name)| Some(((*field)?, name)));
        named.all(|(field, name)| values.text(field).is_some_and(|t| t.trim_ascii().eq_ignore_ascii_case(name.trim().as_bytes())))
    }
}

/// The cell that begins at `at`: start, length, kind, and the position after it. `None` when its quote does not end.
pub(crate) fn cell(text: &[u8], at: usize, delimiter: u8) -> Option<(usize, usize, Kind, usize)> {
    if text.get(at) != Some(&b'"') {
        let rest = text.get(at..).unwrap_or_default();
        let mut end = memchr::memchr2(delimiter, b'\n', rest).map_or(text.len(), |n| at + n);
        if end > at && text.get(end - 1) == Some(&b'\r') && text.get(end) != Some(&delimiter) {
            end -= 1;
        }
        return Some((at, end - at, Kind::Text, end));
    }
    let start = at + 1;
    let mut from = start;
    let mut kind = Kind::Text;
    loop {
        let quote = from + memchr::memchr(b'"', text.get(from..)?)?;
        if text.get(quote + 1) != Some(&b'"') {
            return Some((start, quote - start, kind, quote + 1));
        }
        kind = Kind::Doubled;
        from = quote + 2;
    }
}
