//! The scanner of one thread: blocks of any edge source in, one part out.

use super::collect::Collector;
use super::csv::CsvReader;
use super::detect::{EdgeFormat, EdgeKind};
use super::document::DocumentReader;
use super::fields::Names;
use super::ndjson::LineReader;
use super::part::EdgePart;
use super::spill::Spill;
use crate::options::Options;
use cfray_model::{EdgeFilter, LineRef, SourceId};
use std::sync::Arc;

/// Reads blocks and collects what they leave.
///
/// Lines of NDJSON may be fed in blocks from any source in any order. CSV and JSON documents hold
/// records that span lines, so the blocks of one such source must all go to one scanner, in order
/// and without blocks of another such source between them, and [`EdgeScanner::end`] closes it.
#[derive(Debug)]
pub struct EdgeScanner {
    names: Arc<Names>,
    out: Collector,
    lines: LineReader,
    csv: Option<CsvReader>,
    document: DocumentReader,
}

impl EdgeScanner {
    /// A scanner with nothing read.
    pub fn new(options: &Options, filter: &EdgeFilter) -> Self {
        Self {
            names: Names::shared(&options.field_map),
            out: Collector::new(filter),
            lines: LineReader::default(),
            csv: None,
            document: DocumentReader::default(),
        }
    }

    /// Lets facts go to a file when all scanners together hold too many.
    pub(crate) fn spilling(mut self, spill: Arc<Spill>) -> Self {
        self.out.part.spill = Some(spill);
        self
    }

    /// Reads a block that begins at `offset` of the source's decompressed content. Blocks hold whole
    /// lines (for documents: any bytes). Line numbers are settled by [`super::finalize()`] from the blocks themselves.
    pub fn feed(&mut self, source: SourceId, format: &EdgeFormat, offset: u64, chunk: &[u8]) {
        let lines = match &format.kind {
            EdgeKind::Ndjson => self.lines.feed(source, offset, chunk, &self.names, &mut self.out),
            EdgeKind::Csv(columns) => {
                let reader = match &mut self.csv {
                    Some(reader) if reader.reads(columns) => reader,
                    slot => slot.insert(CsvReader::new(columns, &self.names)),
                };
                reader.feed(source, offset, chunk, &self.names, &mut self.out)
            }
            // A document is read by one scanner from its first byte on, which numbers its lines itself.
            EdgeKind::Document => return self.document.feed(source, offset, chunk, &self.names, &mut self.out),
        };
        *self.out.part.segments.entry((source.0, offset)).or_default() += lines;
    }

    /// The source has no more blocks.
    pub fn end(&mut self, format: &EdgeFormat) {
        match &format.kind {
            EdgeKind::Ndjson => {}
            EdgeKind::Csv(_) => {
                if let Some(csv) = &mut self.csv {
                    csv.end(&mut self.out);
                }
            }
            EdgeKind::Document => self.document.end(&mut self.out),
        }
    }

    /// Counts a line that was too long to be held.
    pub fn long_line(&mut self, at: LineRef, bytes: u64) {
        *self.out.part.segments.entry((at.source.0, at.offset)).or_default() += 1;
        self.out.part.reject(LineRef { line: 1, ..at }, || format!("a line of {} MB is too long", bytes >> 20));
    }

    /// What was collected.
    pub fn finish(self) -> EdgePart {
        self.out.finish()
    }

    /// Reads every row with the full parser: the yardstick of tests and fuzz targets.
    pub fn full_only(mut self) -> Self {
        self.lines.full_only = true;
        self
    }

    /// How many rows were walked side by side.
    #[cfg(test)]
    pub(crate) fn lane_rows(&self) -> u64 {
        self.lines.lane_rows
    }

    /// How many rows the fast parser took.
    #[cfg(test)]
    pub(crate) fn fast_rows(&self) -> u64 {
        self.lines.fast_rows
    }
}
