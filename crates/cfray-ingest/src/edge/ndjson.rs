//! Lines of JSON: one row a line, fast where lines look alike.

use super::MAX_ROW;
use super::collect::Collector;
use super::fast::{LANES, Template};
use super::fields::Names;
use super::full::{self, Layout};
use super::lex::{Fault, blanks, fault};
use super::subrequests;
use super::value::{Row, Slots};
use cfray_model::{LineRef, SourceId};

/// Shapes that are remembered at a time.
const TEMPLATES: usize = 8;
/// Learning stops when more than one row in this many brings a new shape.
const NOVELTY: u64 = 8;

/// Rows of one shape after which rows are read side by side.
const STREAK: u32 = if cfg!(test) { 1 } else { 8 };

/// Reads lines.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    templates: Vec<Template>,
    /// Which template `slots` is prepared for.
    prepared: Option<usize>,
    /// The template that fitted the last row.
    current: usize,
    slots: Slots,
    /// For rows side by side, and the template that these are prepared for.
    lanes: [Slots; LANES],
    lanes_for: Option<usize>,
    /// Rows in a row that the current template fitted.
    streak: u32,
    layout: Layout,
    rows: u64,
    learned: u64,
    /// Rows that the fast parser took.
    pub fast_rows: u64,
    /// And of these, side by side.
    pub lane_rows: u64,
    /// Whether the fast parser may be used; off only in tests.
    pub full_only: bool,
}

impl LineReader {
    /// Reads a block of whole lines; returns their number.
    pub fn feed(&mut self, source: SourceId, offset: u64, chunk: &[u8], names: &Names, out: &mut Collector) -> u64 {
        let mut line = 0u64;
        let mut at = 0usize;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            if self.streak >= STREAK
                && let Some(taken) = self.side_by_side(source, offset + at as u64, line, rest, names, out)
            {
                line += LANES as u64;
                at += taken;
                continue;
            }
            line += 1;
            let place = LineRef { source, line, offset: offset + at as u64 };
            self.rows += 1;
            let length = match self.fast(rest) {
                Some(length) => {
                    self.fast_rows += 1;
                    self.streak = self.streak.saturating_add(1);
                    let values = Row { bytes: rest, slots: &self.slots };
                    subrequests::take(&values, place, None, names, out);
                    length
                }
                None => {
                    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                    self.slow(rest.get(..length).unwrap_or_default(), place, names, out);
                    length
                }
            };
            at += length + 1;
        }
        line
    }

    /// Reads the next [`LANES`] lines if they all have the current shape; returns their bytes with their newlines.
    fn side_by_side(
        &mut self,
        source: SourceId,
        offset: u64,
        before: u64,
        rest: &[u8],
        names: &Names,
        out: &mut Collector,
    ) -> Option<usize> {
        let template = self.templates.get_mut(self.current).filter(|t| t.settled())?;
        // Lines keep what follows them: a walk looks a little further than it reads.
        let (mut texts, mut starts, mut at) = ([rest; LANES], [0; LANES], 0);
        for (text, start) in texts.iter_mut().zip(&mut starts) {
            (*text, *start) = (rest.get(at..)?, at);
            at += memchr::memchr(b'\n', text.get(..MAX_ROW + 1).unwrap_or(text))? + 1;
        }
        if self.lanes_for != Some(self.current) {
            self.lanes.iter_mut().for_each(|slots| template.prepare(slots));
            self.lanes_for = Some(self.current);
        }
        let lengths = template.walk_lanes(&texts, &mut self.lanes);
        let ends = starts.iter().skip(1).chain([&at]);
        if lengths.iter().zip(&starts).zip(ends).any(|((length, start), end)| length.map(|n| start + n + 1) != Some(*end)) {
            self.streak = 0;
            return None;
        }
        self.rows += LANES as u64;
        self.fast_rows += LANES as u64;
        self.lane_rows += LANES as u64;
        for (i, (bytes, slots)) in texts.into_iter().zip(&self.lanes).enumerate() {
            let start = starts.get(i).copied().unwrap_or_default();
            let place = LineRef { source, line: before + i as u64 + 1, offset: offset + start as u64 };
            subrequests::take(&Row { bytes, slots }, place, None, names, out);
        }
        Some(at)
    }

    /// Tries the known shapes on the next line; its values are then in `self.slots`.
    #[inline]
    fn fast(&mut self, rest: &[u8]) -> Option<usize> {
        if self.full_only {
            return None;
        }
        let text = rest.get(..MAX_ROW + 1).unwrap_or(rest);
        for i in 0..self.templates.len() {
            // The last one first, then the others in their order.
            let index = if i == 0 { self.current } else { i - usize::from(i <= self.current) };
            let template = self.templates.get_mut(index)?;
            if self.prepared != Some(index) {
                template.prepare(&mut self.slots);
                self.prepared = Some(index);
            }
            if let Some(length) = template.walk(text, &mut self.slots)
                && matches!(rest.get(length), None | Some(b'\n'))
            {
                if self.current != index {
                    (self.current, self.streak) = (index, 0);
                }
                return Some(length);
            }
        }
        None
    }

    /// Reads any line with the full parser.
    fn slow(&mut self, line: &[u8], place: LineRef, names: &Names, out: &mut Collector) {
        if line.len() > MAX_ROW {
            out.part.reject(place, || format!("longer than {} MB", MAX_ROW >> 20));
            return;
        }
        let start = if place.offset == 0 && line.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        if blanks(line, start) == line.len() {
            return;
        }
        if let Err(fault) = self.rows_of(line, start, place, names, out) {
            out.part.reject(place, || format!("byte {}: {}", fault.at + 1, fault.reason));
        }
    }

    /// Every row of a line: usually one, but batches and rows without a line break between them occur.
    fn rows_of(&mut self, line: &[u8], start: usize, place: LineRef, names: &Names, out: &mut Collector) -> Result<(), Fault> {
        let mut at = blanks(line, start);
        if line.get(at) == Some(&b'[') {
            let end = super::lex::nested_end::<super::simd::Narrow, false>(line, at)?;
            let rest = blanks(line, end);
            if rest < line.len() {
                return Err(fault(rest, "text after the array"));
            }
            return inside(line, at, place, names, out);
        }
        let mut first = true;
        loop {
            self.prepared = None;
            let end = full::object(line, at, names, &mut self.slots, &mut self.layout)?;
            let mut next = blanks(line, end);
            if line.get(next) == Some(&b',') {
                next = blanks(line, next + 1);
            }
            if self.slots.mask != 0 {
                if first && at == 0 && next == line.len() {
                    self.learn(line);
                }
                let values = Row { bytes: line, slots: &self.slots };
                subrequests::take(&values, LineRef { offset: place.offset + at as u64, ..place }, None, names, out);
            } else {
                inside(line, at, place, names, out)?;
            }
            first = false;
            at = next;
            match line.get(at) {
                None => return Ok(()),
                Some(b'{') => {}
                Some(_) => return Err(fault(at, "text after the row")),
            }
        }
    }

    /// Remembers the shape of the row just read.
    fn learn(&mut self, line: &[u8]) {
        if self.full_only || self.learned * NOVELTY > self.rows + 256 {
            return;
        }
        let Some(template) = Template::learn(line, &self.layout, &self.slots) else { return };
        if self.templates.iter().any(|known| known.same_shape(&template)) {
            return;
        }
        self.learned += 1;
        (self.streak, self.lanes_for) = (0, None);
        if self.templates.len() < TEMPLATES {
            self.current = self.templates.len();
            self.templates.push(template);
        } else {
            // In turn, but never the one in use.
            self.current = (self.current + 1) % TEMPLATES;
            if let Some(old) = self.templates.get_mut(self.current) {
                *old = template;
            }
        }
    }
}

/// Rows inside an object or array that is no row itself.
pub(crate) fn inside(text: &[u8], start: usize, place: LineRef, names: &Names, out: &mut Collector) -> Result<(), Fault> {
    let mut found = false;
    subrequests::inner_rows(
        text,
        start,
        names,
        &mut |from, slots| {
            found = true;
            let values = Row { bytes: text, slots };
            subrequests::take(&values, LineRef { offset: place.offset + from as u64, ..place }, None, names, out);
        },
        0,
    );
    if found { Ok(()) } else { Err(fault(start, "no known field name in this JSON")) }
}
