//! Content as blocks of whole lines or whole records, with line numbers and offsets.
//!
//! A block always begins where a record begins, so workers can take blocks in any order. Memory is
//! bounded: a line over [`Options::max_line`] is passed over and reported, a record over
//! [`Options::max_record`] loses its end.

use crate::options::Options;
use cfray_formats::RecordParser;
use memchr::{memchr, memchr_iter, memrchr};
use std::io::{self, Read};

/// Beyond this many bytes of one record only the look of a line decides whether it continues: no
/// parser should be asked with an ever longer record.
const CONTINUE_WINDOW: usize = 1 << 20;

/// Custom rule of where records end: bytes of whole records at the start of the given lines (which
/// begin at a record's start); `true`: nothing follows.
pub type CutRule<'a> = dyn Fn(&[u8], bool) -> usize + Sync + 'a;

/// Where a stream may be cut.
#[derive(Clone, Copy)]
pub enum Split<'a> {
    /// After any line.
    Lines,
    /// Anywhere: for readers that keep their place in a document.
    Bytes,
    /// Before a line that starts a record; the block lists the starts.
    Records(&'a dyn RecordParser),
    /// By a rule of the caller's.
    Rule(&'a CutRule<'a>),
}

impl std::fmt::Debug for Split<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Split::Lines => "Lines",
            Split::Bytes => "Bytes",
            Split::Records(_) => "Records",
            Split::Rule(_) => "Rule",
        })
    }
}

/// A line that was too long to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LongLine {
    /// Its number, from 1; only if lines are counted.
    pub line: u64,
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes without the newline.
    pub bytes: u64,
}

/// Whole lines of one source. Reused from read to read.
#[derive(Debug, Default)]
pub struct Block {
    /// Storage; only the first `len` bytes count.
    buf: Vec<u8>,
    len: usize,
    /// Number of the first line, from 1; 0 when lines are not counted.
    pub first_line: u64,
    /// Offset of the first byte in the decompressed content.
    pub offset: u64,
    /// Physical lines in the block (a last line without newline counts); 0 when lines are not counted.
    pub lines: u64,
    /// With [`Split::Records`]: where records start. Bytes before the first of them continue a
    /// record that was cut off for its size.
    pub starts: Vec<usize>,
    /// Lines passed over before this block, which are not in it.
    pub long_lines: Vec<LongLine>,
}

impl Block {
    /// The lines. All end in a newline, except perhaps the very last of a source.
    pub fn bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }
}

/// Cuts one source's content into blocks.
pub struct BlockReader<'s> {
    reader: Box<dyn Read + Send>,
    split: Split<'s>,
    block: usize,
    max_line: usize,
    max_record: usize,
    numbered: bool,
    /// Bytes read but not handed out: they begin where the next block begins.
    carry: Vec<u8>,
    line: u64,
    offset: u64,
    started: bool,
    ended: bool,
    /// The last block ended inside a record.
    inside: bool,
    /// Lines that the search for records has counted.
    seen: Lines,
    problem: Option<String>,
}

impl std::fmt::Debug for BlockReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockReader").field("line", &self.line).field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl<'s> BlockReader<'s> {
    /// A reader over decompressed content.
    pub fn new(reader: Box<dyn Read + Send>, split: Split<'s>, options: &Options) -> Self {
        Self {
            reader,
            split,
            block: options.block.max(1),
            max_line: options.max_line.max(1),
            max_record: options.max_record.max(1),
            numbered: true,
            carry: Vec::new(),
            line: 1,
            offset: 0,
            started: false,
            ended: false,
            inside: false,
            seen: Lines::default(),
            problem: None,
        }
    }

    /// Leaves lines uncounted, for callers that count them while they read.
    #[must_use]
    pub fn unnumbered(mut self) -> Self {
        self.numbered = false;
        self
    }

    /// What ended the content before its time, if anything; known once [`Self::next_block`] gave `false`.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Fills the next block; `false` when there is none. A block may be empty and only report long lines.
    pub fn next_block(&mut self, out: &mut Block) -> bool {
        out.len = 0;
        out.lines = 0;
        out.starts.clear();
        out.long_lines.clear();
        self.seen = Lines::default();
        self.put(out);
        let mut goal = self.block;
        loop {
            self.fill(out, goal);
            if !self.started && !self.skip_lead(out) {
                continue;
            }
            if out.len == 0 {
                return self.finish(out, 0);
            }
            if matches!(self.split, Split::Bytes) {
                let all = out.len;
                return self.finish(out, all);
            }
            let whole = if self.ended { out.len } else { memrchr(b'\n', out.bytes()).map_or(0, |at| at + 1) };
            if out.len - whole >= self.max_line {
                if whole == 0 {
                    self.pass_over(out);
                    continue;
                }
                // Hand out what stands before the long line; the next call meets it first.
                self.cut(out, whole, true);
                return self.finish(out, whole);
            }
            let taken = if whole == 0 { 0 } else { self.cut(out, whole, self.ended) };
            if taken > 0 {
                return self.finish(out, taken);
            }
            if whole > self.max_record.max(self.block) {
                // One record fills everything: hand out what there is, the rest of it will be ignored.
                self.inside = true;
                return self.finish(out, whole);
            }
            goal = out.len.saturating_add(self.block);
        }
    }

    /// Moves the carried bytes to the block's start.
    fn put(&mut self, out: &mut Block) {
        let len = self.carry.len();
        if out.buf.len() < len {
            out.buf.resize(len.max(self.block), 0);
        }
        if let Some(to) = out.buf.get_mut(..len) {
            to.copy_from_slice(&self.carry);
        }
        out.len = len;
        self.carry.clear();
    }

    /// Reads until the block holds `goal` bytes or the content ends.
    fn fill(&mut self, out: &mut Block, goal: usize) {
        if out.buf.len() < goal && !self.ended {
            out.buf.resize(goal, 0);
        }
        while out.len < goal && !self.ended {
            let Some(free) = out.buf.get_mut(out.len..goal) else { break };
            match self.reader.read(free) {
                Ok(0) => self.ended = true,
                Ok(n) => out.len += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.problem = Some(crate::open::reason(&e));
                    self.ended = true;
                }
            }
        }
    }

    /// Passes over a byte order mark, and over the NUL bytes that copytruncate leaves at the head of
    /// a file whose writer kept its position. `false`: read on.
    fn skip_lead(&mut self, out: &mut Block) -> bool {
        if self.offset == 0 && out.bytes().starts_with(b"\xef\xbb\xbf") {
            self.offset = 3;
            self.drop_front(out, 3);
        }
        let nuls = out.bytes().iter().position(|&b| b != 0).unwrap_or(out.len);
        self.offset += nuls as u64;
        self.drop_front(out, nuls);
        self.started = out.len > 0 || self.ended;
        self.started
    }

    fn drop_front(&self, out: &mut Block, n: usize) {
        out.buf.copy_within(n..out.len, 0);
        out.len -= n;
    }

    /// The block holds only the beginning of a line that is too long: reads on to its end.
    fn pass_over(&mut self, out: &mut Block) {
        let (line, offset) = (self.line, self.offset);
        let mut bytes = 0;
        loop {
            if let Some(end) = memchr(b'\n', out.bytes()) {
                bytes += end as u64;
                self.drop_front(out, end + 1);
                self.offset += bytes + 1;
                break;
            }
            bytes += out.len as u64;
            out.len = 0;
            if self.ended {
                self.offset += bytes;
                break;
            }
            self.fill(out, self.block);
        }
        self.line += 1;
        out.long_lines.push(LongLine { line, offset, bytes });
    }

    /// How much of the whole lines may go out; also lists the records' starts.
    fn cut(&mut self, out: &mut Block, whole: usize, all: bool) -> usize {
        match self.split {
            Split::Lines | Split::Bytes => whole,
            Split::Rule(rule) => {
                let taken = rule(out.buf.get(..whole).unwrap_or_default(), all).min(whole);
                if all { whole } else { taken }
            }
            Split::Records(parser) => {
                let bytes = out.buf.get(..whole).unwrap_or_default();
                let last = record_starts(parser, bytes, self.inside, all, &mut out.starts, &mut self.seen);
                if all {
                    self.inside = self.inside && out.starts.is_empty();
                    return whole;
                }
                match last {
                    // Nothing but the end of a record that was given up.
                    None => whole,
                    Some(0) => {
                        // One record, perhaps not complete. If it is given up, its start stands.
                        0
                    }
                    Some(last) => {
                        self.inside = false;
                        out.starts.pop();
                        last
                    }
                }
            }
        }
    }

    /// Numbers the block and keeps what stands behind `taken` for the next one.
    fn finish(&mut self, out: &mut Block, taken: usize) -> bool {
        self.carry.extend_from_slice(out.buf.get(taken..out.len).unwrap_or_default());
        out.len = taken;
        out.offset = self.offset;
        if self.numbered {
            let bytes = out.bytes();
            let count = || memchr_iter(b'\n', bytes).count() as u64 + u64::from(bytes.last().is_some_and(|&b| b != b'\n'));
            let lines = self.seen.before(taken).unwrap_or_else(count);
            debug_assert_eq!(lines, count());
            out.lines = lines;
            out.first_line = self.line;
            self.line += out.lines;
        } else {
            out.first_line = 0;
        }
        self.offset += taken as u64;
        taken > 0 || !out.long_lines.is_empty()
    }
}

/// Lines of a text that were counted on the way: so many before so many bytes, for two places.
#[derive(Clone, Copy, Default, Debug)]
struct Lines([(usize, u64); 2]);

impl Lines {
    /// The lines before a place, if they were counted.
    fn before(self, at: usize) -> Option<u64> {
        self.0.iter().find(|(place, _)| *place == at).map(|(_, lines)| *lines)
    }
}

/// Lists where records start in whole lines; gives the start of the last one. `inside`: the first
/// lines may continue a record of which nothing is left. `ended`: nothing comes behind them.
fn record_starts(
    parser: &dyn RecordParser,
    bytes: &[u8],
    inside: bool,
    ended: bool,
    starts: &mut Vec<usize>,
    lines: &mut Lines,
) -> Option<usize> {
    starts.clear();
    let (mut at, mut count, mut before_last) = (0, 0, 0);
    let mut open: Option<usize> = None;
    while at < bytes.len() {
        let end = memchr(b'\n', bytes.get(at..).unwrap_or_default()).map_or(bytes.len(), |n| at + n);
        let line = trim_cr(bytes.get(at..end).unwrap_or_default());
        let continues = match open {
            None => inside && !parser.starts_record(line),
            Some(start) if at - start > CONTINUE_WINDOW => !parser.starts_record(line),
            Some(start) => {
                let so_far = trim_cr(bytes.get(start..at - 1).unwrap_or_default());
                parser.continues_before(so_far, line, bytes.get(at..).unwrap_or_default(), ended)
            }
        };
        if !continues {
            starts.push(at);
            (open, before_last) = (Some(at), count);
        }
        at = end + 1;
        count += 1;
    }
    *lines = Lines([(bytes.len(), count), (open.unwrap_or(0), before_last)]);
    open
}

/// A line without its carriage return.
pub fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use cfray_formats::LineError;
    use cfray_model::{Line, LineKind, Stack};
    use proptest::prelude::*;

    /// Records begin with `>`.
    #[derive(Debug)]
    struct Arrow;

    impl RecordParser for Arrow {
        fn format(&self) -> &'static str {
            "arrow"
        }
        fn starts_record(&self, line: &[u8]) -> bool {
            line.starts_with(b">")
        }
        fn parse<'a>(&self, _record: &'a [u8]) -> Result<Line<'a>, LineError> {
            Ok(Line::new(LineKind::Other, Stack::App))
        }
    }

    fn options(block: usize) -> Options {
        Options { block, max_line: 50, max_record: 60, ..Options::default() }
    }

    /// Number, offset and text of a line.
    type Placed = (u64, u64, Vec<u8>);

    /// Everything a reader gives: each block's lines, and the long lines.
    fn lines(text: &[u8], split: Split<'_>, block: usize) -> (Vec<Placed>, Vec<LongLine>) {
        let mut reader = BlockReader::new(Box::new(std::io::Cursor::new(text.to_vec())), split, &options(block));
        let (mut lines, mut long, mut block) = (Vec::new(), Vec::new(), Block::default());
        while reader.next_block(&mut block) {
            long.extend_from_slice(&block.long_lines);
            let (mut line, mut offset) = (block.first_line, block.offset);
            for text in block.bytes().split_inclusive(|&b| b == b'\n') {
                lines.push((line, offset, text.to_vec()));
                line += 1;
                offset += text.len() as u64;
            }
            assert_eq!(line - block.first_line, block.lines);
        }
        (lines, long)
    }

    #[test]
    fn long_lines_are_passed_over_and_numbered() {
        let long = "x".repeat(120);
        let text = format!("a\nb\n{long}\nc\n{long}");
        for block in [1, 7, 40, 64] {
            let (lines, long) = lines(text.as_bytes(), Split::Lines, block);
            let numbers: Vec<_> = lines.iter().map(|l| (l.0, l.1)).filter(|l| l.0 != 5).collect();
            assert_eq!(numbers, [(1, 0), (2, 2), (4, 125)], "{block}");
            assert_eq!(long.first(), Some(&LongLine { line: 3, offset: 4, bytes: 120 }), "{block}");
        }
    }

    #[test]
    fn leading_nuls_and_mark_are_passed_over() {
        let (lines_, _) = lines(b"\0\0\0\0\0\0\0\0\0first\nsecond\n", Split::Lines, 4);
        assert_eq!(lines_[0], (1, 9, b"first\n".to_vec()));
        let (lines_, _) = lines(b"\xef\xbb\xbffirst\n", Split::Lines, 8);
        assert_eq!(lines_[0], (1, 3, b"first\n".to_vec()));
        assert!(lines(&[0; 1000], Split::Lines, 16).0.is_empty());
        assert!(lines(b"", Split::Lines, 16).0.is_empty());
    }

    #[test]
    fn blocks_begin_where_records_begin() {
        let text = b"tail of an old record\n>one\n more\n>two\n>three\n more\n more\n";
        for block in 1..60 {
            let mut reader = BlockReader::new(Box::new(std::io::Cursor::new(text.to_vec())), Split::Records(&Arrow), &options(block));
            let (mut records, mut out) = (Vec::new(), Block::default());
            while reader.next_block(&mut out) {
                for (i, &start) in out.starts.iter().enumerate() {
                    let end = out.starts.get(i + 1).copied().unwrap_or(out.bytes().len());
                    records.push(String::from_utf8_lossy(&out.bytes()[start..end]).into_owned());
                }
            }
            assert_eq!(records, ["tail of an old record\n", ">one\n more\n", ">two\n", ">three\n more\n more\n"], "{block}");
        }
    }

    #[test]
    fn a_record_without_end_is_given_up() {
        let text = format!(">big\n{}>next\n", " more\n".repeat(100));
        let mut reader = BlockReader::new(Box::new(std::io::Cursor::new(text.into_bytes())), Split::Records(&Arrow), &options(16));
        let (mut starts, mut lines, mut out) = (Vec::new(), 0, Block::default());
        while reader.next_block(&mut out) {
            assert!(out.bytes().len() < 200);
            starts.extend(out.starts.iter().map(|&s| out.offset + s as u64));
            lines += out.lines;
        }
        assert_eq!(starts, [0, 605]);
        assert_eq!(lines, 102);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_whatever_the_block(text in "[a-z>\n\r]{0,300}", block in 1usize..80) {
            for split in [Split::Lines, Split::Records(&Arrow)] {
                let (parts, long) = lines(text.as_bytes(), split, block);
                let all: Vec<u8> = parts.iter().flat_map(|p| p.2.clone()).collect();
                if long.is_empty() {
                    prop_assert_eq!(all, text.as_bytes());
                }
                for (line, offset, part) in &parts {
                    let before = &text.as_bytes()[..*offset as usize];
                    prop_assert_eq!(before.iter().filter(|&&b| b == b'\n').count() as u64 + 1, *line);
                    prop_assert!(text.as_bytes()[*offset as usize..].starts_with(part));
                }
            }
        }
    }
}
