//! JSON documents that hold many rows: `{"result":[...]}`, `{"events":[...]}`, `[...]`, pretty-printed rows.
//!
//! Only brackets, strings and the keys of the outermost objects are looked at here, byte by byte and
//! across blocks; each row's text is cut out and given to the full parser. So a document of any size
//! needs the memory of one row.

use super::MAX_ROW;
use super::collect::Collector;
use super::fields::Names;
use super::full::{self, Layout};
use super::lex::scalar_byte;
use super::ndjson;
use super::subrequests;
use super::value::{Row, Slots};
use cfray_model::{LineRef, SourceId};

/// Keys whose array holds rows, lower case.
const WRAPPERS: [&[u8]; 8] = [b"events", b"result", b"results", b"records", b"logs", b"rows", b"data", b"hits"];
/// Containers of rows inside containers of rows.
const FRAMES: usize = 16;

/// Is it a key whose value holds rows?
pub(crate) fn is_wrapper(key: &[u8]) -> bool {
    WRAPPERS.iter().any(|w| w.eq_ignore_ascii_case(key))
}

/// What the reader is inside of, outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frame {
    /// An array whose elements are rows.
    Rows,
    /// An object that turned out to hold rows under some key; the number counts brackets opened in it since.
    Holder(usize),
}

/// Text being cut out: a row, or an object that may turn out to be a holder of rows.
#[derive(Debug)]
struct Cut {
    text: Vec<u8>,
    at: LineRef,
    depth: usize,
    too_long: bool,
}

/// Reads documents, block by block.
#[derive(Debug, Default)]
pub(crate) struct DocumentReader {
    frames: Vec<Frame>,
    cut: Option<Cut>,
    in_string: bool,
    escaped: bool,
    /// The last string at the level of a possible holder's keys, and whether a colon came after it.
    key: Vec<u8>,
    colon: bool,
    /// A byte that belongs nowhere was reported on this line.
    stray: bool,
    slots: Slots,
    layout: Layout,
    /// Line breaks so far.
    lines: u64,
    last: LineRef,
}

impl DocumentReader {
    /// Reads any bytes that follow the last ones.
    pub fn feed(&mut self, source: SourceId, offset: u64, chunk: &[u8], names: &Names, out: &mut Collector) {
        for (i, &b) in chunk.iter().enumerate() {
            let here = LineRef { source, line: self.lines + 1, offset: offset + i as u64 };
            self.last = here;
            if b == b'\n' {
                self.lines += 1;
                self.stray = false;
            }
            self.byte(b, here, names, out);
        }
    }

    /// The source ends.
    pub fn end(&mut self, out: &mut Collector) {
        if self.cut.is_some() || !self.frames.is_empty() {
            let at = self.cut.as_ref().map_or(self.last, |cut| cut.at);
            out.part.reject(at, || "the JSON document ends too early".to_owned());
        }
        *self = Self::default();
    }

    fn byte(&mut self, b: u8, here: LineRef, names: &Names, out: &mut Collector) {
        if let Some(cut) = &mut self.cut {
            if cut.text.len() < MAX_ROW {
                cut.text.push(b);
            } else {
                cut.too_long = true;
            }
        }
        // Is this the level at which keys of a holder stand?
        let key_level = match (&self.cut, self.frames.last()) {
            (Some(cut), frame) => cut.depth == 1 && frame != Some(&Frame::Rows),
            (None, Some(Frame::Holder(depth))) => *depth == 0,
            _ => false,
        };
        if self.in_string {
            if self.escaped {
                self.escaped = false;
            } else if b == b'\\' {
                self.escaped = true;
            } else if b == b'"' {
                self.in_string = false;
                return;
            }
            if key_level && self.key.len() < 64 {
                self.key.push(b);
            }
            return;
        }
        match b {
            b'"' => {
                self.in_string = true;
                self.key.clear();
                self.colon = false;
            }
            b':' => self.colon = true,
            b',' => self.colon = false,
            b'{' | b'[' => self.open(b, key_level, here),
            b'}' | b']' => self.close(b, names, out),
            b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => {}
            _ if self.cut.is_none() && self.frames.is_empty() && !self.stray => {
                self.stray = true;
                let reason = if scalar_byte(b) { "text outside the JSON document" } else { "not JSON" };
                out.part.reject(here, || reason.to_owned());
            }
            _ => {}
        }
    }

    fn open(&mut self, b: u8, key_level: bool, here: LineRef) {
        if key_level && self.colon && is_wrapper(&self.key) && self.frames.len() < FRAMES {
            // What was cut out so far is no row but a holder.
            if self.cut.take().is_some() {
                self.frames.push(Frame::Holder(0));
            }
            if b == b'[' {
                self.frames.push(Frame::Rows);
            } else {
                self.begin(b, here);
            }
            self.colon = false;
            return;
        }
        self.colon = false;
        match (&mut self.cut, self.frames.last_mut()) {
            (Some(cut), _) => cut.depth += 1,
            (None, Some(Frame::Holder(depth))) => *depth += 1,
            (None, None | Some(Frame::Rows)) if b == b'{' => self.begin(b, here),
            (None, None | Some(Frame::Rows)) => {
                if self.frames.len() < FRAMES {
                    self.frames.push(Frame::Rows);
                }
            }
        }
    }

    fn begin(&mut self, b: u8, at: LineRef) {
        self.cut = Some(Cut { text: vec![b], at, depth: 1, too_long: false });
    }

    fn close(&mut self, b: u8, names: &Names, out: &mut Collector) {
        if let Some(cut) = &mut self.cut {
            cut.depth -= 1;
            if cut.depth == 0
                && let Some(cut) = self.cut.take()
            {
                self.row(&cut, names, out);
            }
            return;
        }
        match self.frames.last_mut() {
            Some(Frame::Holder(depth)) if *depth > 0 => *depth -= 1,
            Some(Frame::Holder(_)) if b == b'}' => {
                self.frames.pop();
            }
            Some(Frame::Rows) if b == b']' => {
                self.frames.pop();
            }
            _ => {}
        }
    }

    /// A complete object.
    fn row(&mut self, cut: &Cut, names: &Names, out: &mut Collector) {
        if cut.too_long {
            out.part.reject(cut.at, || format!("longer than {} MB", MAX_ROW >> 20));
            return;
        }
        let result = full::object(&cut.text, 0, names, &mut self.slots, &mut self.layout).and_then(|_| {
            if self.slots.mask == 0 {
                return ndjson::inside(&cut.text, 0, cut.at, names, out);
            }
            let values = Row { bytes: &cut.text, slots: &self.slots };
            subrequests::take(&values, cut.at, None, names, out);
            Ok(())
        });
        if let Err(fault) = result {
            out.part.reject(cut.at, || format!("byte {} of the row: {}", fault.at + 1, fault.reason));
        }
    }
}
