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

/// Whole lines of a block that one lane walks.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    end: usize,
    /// Where the next line begins.
    at: usize,
    /// Lines begun.
    lines: u64,
}

impl Part {
    /// Cuts whole lines into parts of about the same size.
    fn cut(lines: &[u8]) -> [Self; LANES] {
        let mut end = 0;
        std::array::from_fn(|i| {
            let start = end;
            let goal = lines.len() * (i + 1) / LANES;
            if end < goal {
                let newline = lines.get(goal..).and_then(|rest| memchr::memchr(b'\n', rest));
                end = newline.map_or(lines.len(), |at| goal + at + 1);
            }
            Self { start, end, at: start, lines: 0 }
        })
    }

    /// Where the line begins that was counted last, in part `i` of lines that begin at `first`.
    fn place(&self, i: usize, first: LineRef) -> LineRef {
        LineRef { line: self.lines + if i == 0 { first.line } else { 0 }, offset: first.offset + self.at as u64, ..first }
    }
}

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
    /// Reads a block of whole lines; returns their number, without those that it has counted in segments of their own.
    pub fn feed(&mut self, source: SourceId, offset: u64, chunk: &[u8], names: &Names, out: &mut Collector) -> u64 {
        let mut place = LineRef { source, line: 0, offset };
        let mut at = 0usize;
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            if self.streak >= STREAK && self.settled() {
                return place.line + self.side_by_side(LineRef { offset: offset + at as u64, ..place }, rest, names, out);
            }
            place.line += 1;
            at += self.one(LineRef { offset: offset + at as u64, ..place }, rest, names, out);
        }
        place.line
    }

    /// May rows be read side by side?
    fn settled(&self) -> bool {
        self.templates.get(self.current).is_some_and(Template::settled)
    }

    /// Reads the line at the beginning of `rest`; returns its bytes with its newline.
    fn one(&mut self, place: LineRef, rest: &[u8], names: &Names, out: &mut Collector) -> usize {
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
        length + 1
    }

    /// Reads whole lines, which begin at `place` (behind so many lines of its segment), in [`LANES`] parts that are walked side by
    /// side. Returns the number of lines that belong to the segment; where a line's number may be asked for,
    /// the other parts become segments of their own.
    fn side_by_side(&mut self, place: LineRef, lines: &[u8], names: &Names, out: &mut Collector) -> u64 {
        let mut parts = Part::cut(lines);
        let (quoted, shape) = (out.part.quoted(), self.current);
        let mut singly = 0;
        // One part alone is read line by line, and so is everything once too much has another shape.
        while parts.iter().filter(|part| part.at < part.end).count() > 1 && singly <= LANES as u64 + parts[0].lines {
            let Some(template) = self.templates.get_mut(shape).filter(|template| template.settled()) else { break };
            if self.lanes_for != Some(shape) {
                self.lanes.iter_mut().for_each(|slots| template.prepare(slots));
                self.lanes_for = Some(shape);
            }
            // Lines keep what follows them: a walk looks a little further than it reads.
            let texts = parts.map(|part| if part.at < part.end { lines.get(part.at..).unwrap_or_default() } else { b"" });
            let lengths = template.walk_lanes(&texts, &mut self.lanes);
            for (i, part) in parts.iter_mut().enumerate().filter(|(_, part)| part.at < part.end) {
                part.lines += 1;
                let place = part.place(i, place);
                let Some(length) = lengths[i].filter(|length| *length <= MAX_ROW) else {
                    singly += 1;
                    part.at += self.one(place, texts[i], names, out);
                    continue;
                };
                self.rows += 1;
                self.fast_rows += 1;
                self.lane_rows += 1;
                part.at += length + 1;
                subrequests::take(&Row { bytes: texts[i], slots: &self.lanes[i] }, place, None, names, out);
            }
            if self.lanes_for != Some(shape) {
                break;
            }
        }
        for (i, part) in parts.iter_mut().enumerate() {
            while let Some(rest) = lines.get(part.at..part.end).filter(|rest| !rest.is_empty()) {
                part.lines += 1;
                part.at += self.one(part.place(i, place), rest, names, out);
            }
        }
        if quoted == out.part.quoted() {
            return parts.iter().map(|part| part.lines).sum();
        }
        for part in parts.iter().skip(1).filter(|part| part.lines > 0) {
            *out.part.segments.entry((place.source.0, place.offset + part.start as u64)).or_default() += part.lines;
        }
        parts[0].lines
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
